/* tests/flds.c - canonical coordinates change no bound and no prediction; the start from a Poisson
 * LDS; scores against their definition */
#include "check.h"

enum { B = 6, T = 14, N = 7, D = 2 };

static double *simulated(unsigned long long seed) {
    double *y = (double *)calloc(B * T * N, sizeof *y);
    for (int i = 0; i < B * T * N; i++)
        y[i] = floor(fabs(1.3 * test_normal(&seed)));
    return y;
}

static vdi_vilds_data *observe(const vdi_vilds *m, double *y) {
    vdi_vilds_data_desc desc = VDI__ZERO;
    vdi_vilds_data *data = NULL;
    vdi_error err = {0};
    desc.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
    CHECK_OK(vdi_vilds_data_create(m, &desc, &data, &err), err);
    return data;
}

/* Monte Carlo means before and after, by the standard errors of so many repetitions. */
enum { REPEATS = 24, FEW = 50 };
typedef struct repeated {
    double elbo[REPEATS], rate[REPEATS][B * T * N];
} repeated;

static void repeat(vdi_vilds *m, vdi_vilds_data *data, repeated *r) {
    vdi_error err = {0};
    for (int k = 0; k < REPEATS; k++) {
        vdi_vilds_result out = VDI__ZERO;
        vdi_vilds_query q = VDI__ZERO;
        q.samples = FEW;
        q.seed = (uint64_t)k + 1;
        out.rate = r->rate[k];
        CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
        CHECK_OK(vdi_vilds_score(m, data, &q, &r->elbo[k], &err), err);
    }
}

/* (mean of a - mean of b) over its standard error; a and b are `step` apart */
static double difference(const double *a, const double *b, int step) {
    double s[2] = {0, 0}, ss[2] = {0, 0};
    for (int k = 0; k < REPEATS; k++) {
        const double x[2] = {a[k * step], b[k * step]};
        for (int i = 0; i < 2; i++) {
            s[i] += x[i] / REPEATS;
            ss[i] += x[i] * x[i] / REPEATS;
        }
    }
    const double variance = (ss[0] - s[0] * s[0] + ss[1] - s[1] * s[1]) / (REPEATS - 1);
    return (s[0] - s[1]) / sqrt(fmax(variance, 1e-20));
}

static void rates_agree(const repeated *r) {
    double sum = 0, most = 0;
    for (int i = 0; i < B * T * N; i++) {
        const double z = difference(&r[0].rate[0][i], &r[1].rate[0][i], B * T * N);
        sum += z * z / (B * T * N);
        most = test_worst(most, fabs(z));
    }
    /* of 588, which have samples in common */
    CHECK(sum < 2 && most < 6, "rates: mean square %.3f, at most %.2f standard errors", sum, most);
    const double z = difference(r[0].elbo, r[1].elbo, 1);
    CHECK(fabs(z) < 5, "the bound: %.2f standard errors", z);
}

/* The stationary covariance is I: Q = I - A A'. */
static void stationary_is_one(vdi_vilds *m) {
    double cov[D * D];
    vdi_error err = {0};
    const vdi_param *A = vdi_params_find(vdi_vilds_params(m), "prior.A");
    const double *a = (const double *)A->value.data;
    CHECK_OK(vdi_vilds_get_covariance(m, "prior.Q", cov, &err), err);
    for (int i = 0; i < D; i++) {
        for (int j = 0; j < D; j++) {
            double sum = cov[i * D + j];
            for (int l = 0; l < D; l++)
                sum += a[i * D + l] * a[j * D + l];
            CHECK_CLOSE(sum, i == j, 1e-9);
        }
    }
}

static vdi_vilds *model_of(int k, double *y, vdi_vilds_data **data) {
    vdi_error err = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds *m = NULL;
    desc.d = D;
    desc.n = N;
    desc.dtype = VDI_F64;
    desc.free_start = true;
    desc.train.steps = 40;
    if (k == 1) desc.linear = desc.encoder_linear = true;
    if (k == 2) {
        desc.skip = true;
        desc.obs = VDI_VILDS_GAUSSIAN;
    }
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    *data = observe(m, y);
    CHECK_OK(vdi_vilds_fit(m, *data, NULL, NULL, NULL, &err), err);
    return m;
}

TEST(flds, canonical_coordinates) {
    NEED_NATIVE();
    double *y = simulated(3);
    repeated *r = (repeated *)malloc(2 * sizeof *r);
    for (int k = 0; k < 3; k++) {
        double mean[2][B * T * D], predicted[2][2][B * T * N], G[D * D];
        vdi_error err = {0};
        vdi_vilds_data *data = NULL;
        vdi_vilds *m = model_of(k, y, &data);
        for (int pass = 0; pass < 2; pass++) {
            vdi_vilds_result out = VDI__ZERO;
            vdi_vilds_query q = VDI__ZERO;
            out.mean = mean[pass];
            if (pass) CHECK_OK(vdi_flds_canonical(m, data, &err), err);
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
            repeat(m, data, &r[pass]);
            if (!pass) CHECK_OK(vdi_flds_canonical_map(m, data, G, &err), err);
            q.nodes = 15;
            for (int what = 0; what < 2; what++) {
                CHECK_OK(vdi_vilds_predict(m, data, (vdi_vilds_prediction)what, &q,
                                           predicted[pass][what], NULL, &err),
                         err);
            }
        }
        rates_agree(r);
        if (k == 1) CHECK_CLOSE(r[0].elbo[0], r[1].elbo[0], 1e-10);
        for (int i = 0; i < B * T; i++) {
            for (int c = 0; c < D; c++) {
                CHECK_CLOSE(mean[1][i * D + c],
                            G[c * D] * mean[0][i * D] + G[c * D + 1] * mean[0][i * D + 1], 1e-8);
            }
        }
        for (int what = 0; what < 2; what++) {
            for (int i = 0; i < B * T * N; i++)
                CHECK_CLOSE(predicted[0][what][i], predicted[1][what][i], 1e-3);
        }
        stationary_is_one(m);
        CHECK_OK(vdi_flds_canonical_map(m, data, G, &err), err); /* a second time: nothing to do */
        for (int i = 0; i < D * D; i++)
            CHECK_CLOSE(G[i], i / D == i % D, 1e-7);
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
    }
    free(r);
    free(y);
}

/* M <- G M G', (D,D) */
static void both_sides(const double *G, double *M) {
    double out[D * D];
    for (int i = 0; i < D * D; i++) {
        out[i] = 0;
        for (int k = 0; k < D * D; k++)
            out[i] += G[i / D * D + k / D] * M[k] * G[i % D * D + k % D];
    }
    memcpy(M, out, sizeof out);
}

/* A linear read-out has bounds in closed form, so a change of coordinates changes nothing but
 * rounding: with inputs, whose B moves along, and a first bin of its own. Covariances of a bin and
 * of neighbouring bins become G V G'. */
TEST(flds, canonical_coordinates_with_inputs) {
    enum { U = 2 };
    unsigned long long seed = 5;
    double *y = simulated(8), u[B * T * U], G[D * D], elbo[2];
    static double mean[2][B * T * D], cov[2][B * T * D * D], lag[2][B * (T - 1) * D * D],
        log_p[2][2][B * T * N];
    vdi_error err = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds *m = NULL;
    vdi_vilds_data *data = NULL;
    desc.d = D;
    desc.n = N;
    desc.inputs = U;
    desc.dtype = VDI_F64;
    desc.free_start = desc.linear = desc.encoder_linear = true;
    for (int i = 0; i < B * T * U; i++)
        u[i] = test_normal(&seed);
    dd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
    dd.u = vdi_tensor_3d(u, VDI_F64, B, T, U);
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    CHECK_OK(vdi_vilds_data_create(m, &dd, &data, &err), err);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    static const char *const moved[2] = {"prior.B", "prior.x0"};
    for (int k = 0; k < 2; k++) {
        const vdi_param *p = vdi_params_find(vdi_vilds_params(m), moved[k]);
        for (int64_t i = 0; i < vdi_tensor_count(p->value); i++)
            vdi_dtype_store(VDI_F64, p->value.data, i, 0.4 * test_normal(&seed));
    }
    CHECK_OK(vdi_flds_canonical_map(m, data, G, &err), err);
    for (int pass = 0; pass < 2; pass++) {
        vdi_vilds_result out = VDI__ZERO;
        out.mean = mean[pass];
        out.cov = cov[pass];
        out.lagcov = lag[pass];
        vdi_vilds_query q = VDI__ZERO;
        q.nodes = 40; /* its axes turn along: so many that it does not show */
        if (pass) CHECK_OK(vdi_flds_canonical(m, data, &err), err);
        CHECK_OK(vdi_vilds_infer(m, data, NULL, &out, &err), err);
        CHECK_OK(vdi_vilds_score(m, data, NULL, &elbo[pass], &err), err);
        for (int what = 0; what < 2; what++) {
            CHECK_OK(vdi_vilds_predict(m, data, (vdi_vilds_prediction)what, &q, log_p[pass][what],
                                       NULL, &err),
                     err);
        }
    }
    CHECK_CLOSE(elbo[1], elbo[0], 1e-10 * fabs(elbo[0]));
    for (int i = 0; i < B * T; i++) {
        for (int c = 0; c < D; c++) {
            CHECK_CLOSE(mean[1][i * D + c],
                        G[c * D] * mean[0][i * D] + G[c * D + 1] * mean[0][i * D + 1], 1e-9);
        }
        both_sides(G, cov[0] + i * D * D);
        if (i < B * (T - 1)) both_sides(G, lag[0] + i * D * D);
    }
    CHECK(largest_difference(cov[0], cov[1], B * T * D * D) < 1e-9, "covariances");
    CHECK(largest_difference(lag[0], lag[1], B * (T - 1) * D * D) < 1e-9, "of neighbours");
    for (int what = 0; what < 2; what++)
        CHECK_CLOSE(largest_difference(log_p[0][what], log_p[1][what], B * T * N), 0, 1e-7);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    free(y);
}

TEST(flds, scores_by_their_definition) {
    double *y = simulated(9), means[N], log_prob[B * T * N], rate[B * T * N];
    vdi_error err = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_flds_scores s;
    vdi_score_bits bits;
    desc.d = D;
    desc.n = N;
    desc = vdi_flds_recipe(&desc, VDI_FLDS_SMOOTH);
    CHECK(desc.train.steps == 1000 && desc.train.restarts == 1 && desc.layers == 2 &&
              desc.hidden[1] == 60,
          "the recipe");
    desc.train.steps = 30;
    vdi_vilds *m = NULL;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    vdi_vilds_data *data = observe(m, y);
    CHECK_OK(vdi_vilds_fit(m, data, NULL, NULL, NULL, &err), err);
    vdi_score_means(B * T, N, y, means);
    CHECK_OK(vdi_flds_score(m, data, NULL, &s, &err), err);
    for (int what = 0; what < 2; what++) {
        CHECK_OK(vdi_vilds_predict(m, data, (vdi_vilds_prediction)what, NULL, log_prob, rate, &err),
                 err);
        CHECK_OK(vdi_score_bits_per_spike(B * T, N, y, log_prob, means, &bits, &err), err);
        CHECK_CLOSE(what ? s.one_step_bits : s.lno_bits, bits.bits_per_spike, 1e-6);
        CHECK_CLOSE(what ? s.one_step_mse : s.lno_mse, vdi_score_mse(B * T * N, y, rate), 1e-9);
    }
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    free(y);
}

/* Training the encoder alone leaves the model as it is, to the bit, and brings the bound up; then
 * the whole schedule lies ahead. */
TEST(flds, encoder_first) {
    enum { B = 12, T = 20, N = 8 };
    double y[B * T * N], score[2];
    vdi_error err = {0};
    vdi_rng rng = vdi_rng_make(4, 0);
    for (int i = 0; i < B * T * N; i++)
        y[i] = (double)vdi_rng_poisson(&rng, exp(sin(0.3 * (i / N % T) + i % N) - 0.5));
    vdi_plds_desc pd = VDI__ZERO;
    vdi_plds_data_desc pdd = VDI__ZERO;
    vdi_plds *plds = NULL;
    vdi_plds_data *counts = NULL;
    pd.d = 2;
    pd.n = N;
    pdd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
    CHECK_OK(vdi_plds_create(&pd, &plds, &err), err);
    CHECK_OK(vdi_plds_data_create(plds, &pdd, &counts, &err), err);
    CHECK_OK(vdi_plds_init(plds, counts, 1, &err), err);
    for (int i = 0; i < 20; i++)
        CHECK_OK(vdi_plds_em_step(plds, counts, NULL, &err), err);
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds *m = NULL;
    vdi_vilds_data *data = NULL;
    desc.d = 2;
    desc.n = N;
    desc.train.steps = 7;
    desc = vdi_flds_recipe(&desc, VDI_FLDS_FROM_PLDS);
    CHECK(desc.skip && desc.free_start && desc.train.restarts == 1 && desc.train.steps == 7,
          "the recipe overrides what is set");
    dd.y = pdd.y;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    CHECK_OK(vdi_vilds_data_create(m, &dd, &data, &err), err);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    CHECK_OK(vdi_flds_from_plds(m, plds, &err), err);
    CHECK_OK(vdi_vilds_score(m, data, NULL, &score[0], &err), err);
    vdi_params *p = vdi_vilds_params(m);
    float *before = (float *)malloc((size_t)p->total * sizeof *before);
    memcpy(before, p->values, (size_t)p->total * sizeof *before);
    CHECK_OK(vdi_flds_fit_encoder(m, data, 150, &err), err);
    CHECK_OK(vdi_vilds_score(m, data, NULL, &score[1], &err), err);
    CHECK(score[1] > score[0] + 0.05, "the bound goes from %.4f to %.4f", score[0], score[1]);
    for (int64_t i = 0; i < p->count; i++) {
        const float *v = (const float *)p->item[i].value.data;
        size_t bytes = vdi_tensor_bytes(p->item[i].value);
        bool same = !memcmp(v, before + (v - (const float *)p->values), bytes);
        bool encoder = !strncmp(p->item[i].name, "encoder", 7);
        CHECK(same != encoder, "%s %s", p->item[i].name, same ? "has not moved" : "has moved");
        CHECK(!p->item[i].frozen, "%s stays frozen", p->item[i].name);
    }
    int steps = 0;
    while (vdi_vilds_step(m, data, NULL, NULL, &err) == VDI_OK)
        steps++;
    CHECK(steps == 7 + 3, "%d steps follow: 7, and 3 of the encoder", steps);
    free(before);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    vdi_plds_data_destroy(counts);
    vdi_plds_destroy(plds);
}

/* After the schedule the encoder alone moves. With all channels hidden, the bound of a step of the
 * schedule is that of no data, whatever they are; that of a step of the encoder alone counts
 * them. */
TEST(flds, encoder_last) {
    enum { B = 6, T = 10, N = 5, STEPS = 5, MORE = 4 };
    double y[2][B * T * N], loss[2][2];
    vdi_error err = {0};
    vdi_rng rng = vdi_rng_make(5, 0);
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds *m = NULL;
    vdi_vilds_data *data[2] = {NULL, NULL};
    for (int i = 0; i < 2 * B * T * N; i++)
        y[i / (B * T * N)][i % (B * T * N)] = (double)vdi_rng_poisson(&rng, 1);
    desc.d = 2;
    desc.n = N;
    desc.train.steps = STEPS;
    desc.train.encoder_steps = MORE;
    for (int hidden = 0; hidden < 2; hidden++) {
        int steps = 0;
        if (hidden) desc.train.mask_trials = 1;
        if (hidden) desc.train.mask_rate = 0.9999;
        CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
        for (int k = 0; k < 2; k++) {
            dd.y = vdi_tensor_3d(y[k], VDI_F64, B, T, N);
            CHECK_OK(vdi_vilds_data_create(m, &dd, &data[k], &err), err);
        }
        for (; steps < STEPS; steps++)
            CHECK_OK(vdi_vilds_step(m, data[0], NULL, NULL, &err), err);
        vdi_params *p = vdi_vilds_params(m);
        float *before = (float *)malloc((size_t)p->total * sizeof *before);
        memcpy(before, p->values, (size_t)p->total * sizeof *before);
        while (vdi_vilds_step(m, data[0], NULL, NULL, &err) == VDI_OK)
            steps++;
        CHECK(steps == STEPS + MORE, "%d steps", steps);
        for (int64_t i = 0; i < p->count && !hidden; i++) {
            const float *v = (const float *)p->item[i].value.data;
            size_t bytes = vdi_tensor_bytes(p->item[i].value);
            bool same = !memcmp(v, before + (v - (const float *)p->values), bytes);
            bool encoder = !strncmp(p->item[i].name, "encoder", 7);
            CHECK(same != encoder, "%s %s", p->item[i].name, same ? "has not moved" : "has moved");
        }
        for (int k = 0; k < 4; k++) {
            CHECK_OK(vdi_vilds_loss(m, data[k & 1], k < 2 ? STEPS - 1 : STEPS, &loss[k / 2][k & 1],
                                    &err),
                     err);
        }
        CHECK((loss[0][0] == loss[0][1]) == (hidden == 1), "in the schedule %g, %g", loss[0][0],
              loss[0][1]);
        CHECK(loss[1][0] != loss[1][1], "after it %g, %g", loss[1][0], loss[1][1]);
        free(before);
        vdi_vilds_data_destroy(data[0]);
        vdi_vilds_data_destroy(data[1]);
        vdi_vilds_destroy(m);
    }
}

/* A linear read-out of Poisson counts is a Poisson LDS, whose parameters are left as they are
 * found; with anything beside it the schedule is that of a network. */
TEST(flds, a_poisson_lds_is_known) {
    vdi_vilds_desc desc = VDI__ZERO;
    desc.d = 2;
    desc.n = 5;
    desc.linear = true;
    CHECK(vdi_flds_is_plds(&desc) && vdi_flds_takes_plds(&desc), "it is one");
    CHECK(vdi_flds_recipe(&desc, VDI_FLDS_FROM_PLDS).train.steps == 1, "no schedule");
    CHECK(vdi_flds_recipe(&desc, VDI_FLDS_FROM_PLDS).train.encoder_steps == 400, "an encoder");
    CHECK(vdi_flds_recipe(&desc, VDI_FLDS_LINEAR).train.steps == 3000, "one that was asked for");
    desc.inputs = 1;
    CHECK(!vdi_flds_is_plds(&desc), "inputs");
    CHECK(vdi_flds_recipe(&desc, VDI_FLDS_FROM_PLDS).train.steps == 800, "a schedule");
    desc.inputs = 0;
    desc.obs = VDI_VILDS_NEGBIN;
    CHECK(!vdi_flds_is_plds(&desc), "negative binomial counts");
    desc.obs = VDI_VILDS_POISSON;
    desc.linear = false;
    CHECK(!vdi_flds_is_plds(&desc), "a network");
    CHECK(vdi_flds_recipe(&desc, VDI_FLDS_FROM_PLDS).train.steps == 800, "a schedule");
}
