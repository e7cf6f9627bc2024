/* tests/vilds_parts.c - the generative parts of VILDS (transition by a network, inputs, exposure,
 * kinds of counts) and the promises of its training: windows, restarts, early stopping, steps
 * undone, memory */
#include "check.h"
#include "particle_filter.h"

static double *numbers(int64_t n) {
    return (double *)calloc((size_t)(n > 0 ? n : 1), sizeof(double));
}

static vdi_vilds *make(const vdi_vilds_desc *desc) {
    vdi_vilds *m = NULL;
    vdi_error err = {0};
    CHECK_OK(vdi_vilds_create(desc, &m, &err), err);
    return m;
}
static vdi_vilds_data *take(const vdi_vilds *m, const vdi_vilds_data_desc *desc) {
    vdi_vilds_data *data = NULL;
    vdi_error err = {0};
    CHECK_OK(vdi_vilds_data_create(m, desc, &data, &err), err);
    return data;
}
static vdi_vilds_data *observe(const vdi_vilds *m, double *y, int64_t trials, int64_t T) {
    vdi_vilds_data_desc desc = VDI__ZERO;
    desc.y = vdi_tensor_3d(y, VDI_F64, trials, T, vdi_vilds_description(m)->n);
    return take(m, &desc);
}
static vdi_param *param(vdi_vilds *m, const char *name) {
    vdi_param *p = vdi_params_find(vdi_vilds_params(m), name);
    CHECK(p != NULL, "%s", name);
    return p;
}
static void put(vdi_vilds *m, const char *name, int64_t i, double v) {
    vdi_param *p = param(m, name);
    vdi_dtype_store(p->value.dtype, p->value.data, i, v);
}
static void fill(vdi_vilds *m, const char *name, double v) {
    vdi_tensor_fill(param(m, name)->value, v);
}
static void freeze_all_but(vdi_vilds *m, const char *prefix) {
    vdi_params *p = vdi_vilds_params(m);
    for (int64_t i = 0; i < p->count; i++)
        p->item[i].frozen = strncmp(p->item[i].name, prefix, strlen(prefix)) != 0;
}

/* ---- transition by a network ----------------------------------------------------------------- */

/* Two wells: z_t = 0.3 z + 1.2 tanh(1.5 z) + N(0, 0.4^2), seen through N channels with noise 1. */
enum { WELL_N = 4, WELL_T = 40 };
static const double well_sd = 0.4;
static double well(double z) { return 0.3 * z + 1.2 * tanh(1.5 * z); }
static double *wells(int64_t trials, uint64_t seed) {
    double *y = numbers(trials * WELL_T * WELL_N), z = 0;
    vdi_rng rng = vdi_rng_make(seed, 0);
    for (int64_t i = 0; i < trials * WELL_T; i++) {
        z = i % WELL_T ? well(z) + well_sd * vdi_rng_normal(&rng) : vdi_rng_normal(&rng);
        for (int64_t j = 0; j < WELL_N; j++)
            y[i * WELL_N + j] = (j % 2 ? -1 : 1) * z + vdi_rng_normal(&rng);
    }
    return y;
}
static double well_log_p(const double *y, double z) {
    double sum = 0;
    for (int64_t j = 0; j < WELL_N; j++) {
        double e = y[j] - (j % 2 ? -1 : 1) * z;
        sum -= 0.5 * (e * e + VDI_LOG_2PI);
    }
    return sum;
}
static double well_filter(const double *y, int particles, uint64_t seed) {
    const filter_model m = {well, well_sd, well_log_p, WELL_N};
    return particle_filter(&m, y, WELL_T, particles, vdi_rng_make(seed, 1));
}

/* With the true parameters in place and only the encoder trained, the bound stays below log p(y)
 * and importance weights close the gap. */
TEST(vilds_parts, transition_against_a_particle_filter) {
    NEED_NATIVE();
    enum { B = 40 };
    double *y = wells(B, 3), elbo[B], iw[B], sum[3] = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_error err = {0};
    desc.d = 1;
    desc.n = WELL_N;
    desc.obs = VDI_VILDS_GAUSSIAN;
    desc.linear = true;
    desc.dtype = VDI_F64;
    desc.untied = true;
    desc.transition_layers = 1;
    desc.transition_hidden[0] = 1;
    desc.train.steps = 500;
    desc.train.no_masking = true;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, WELL_T);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    double Q = well_sd * well_sd, own = 0.3;
    CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q", &Q, &err), err);
    CHECK_OK(vdi_vilds_set_covariance(m, "own.Q", &own, &err), err);
    put(m, "prior.A", 0, 0.3);
    put(m, "own.A", 0, 0.9);
    put(m, "transition.0.weight", 0, 1.5);
    put(m, "transition.0.bias", 0, 0);
    put(m, "transition.1.weight", 0, 1.2);
    fill(m, "obs.log_sd", 0);
    fill(m, "decoder.0.bias", 0);
    for (int j = 0; j < WELL_N; j++)
        put(m, "decoder.0.weight", j, j % 2 ? -1 : 1);
    freeze_all_but(m, "encoder");
    vdi_vilds_resume_from_here(m);
    CHECK_OK(vdi_vilds_fit(m, data, NULL, NULL, NULL, &err), err);
    vdi_vilds_query q = VDI__ZERO;
    vdi_vilds_result out = VDI__ZERO;
    out.elbo = elbo;
    out.iw = iw;
    q.samples = 200;
    q.iw = 400;
    q.refine = 10;
    CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
    for (int b = 0; b < B; b++) {
        sum[0] += elbo[b] / (B * WELL_T);
        sum[1] += iw[b] / (B * WELL_T);
        sum[2] += well_filter(y + b * WELL_T * WELL_N, 4000, (uint64_t)b) / (B * WELL_T);
    }
    CHECK(sum[0] < sum[2] + 1e-3 && sum[0] > sum[2] - 0.05, "ELBO %.4f, particle filter %.4f",
          sum[0], sum[2]);
    CHECK(sum[1] < sum[2] + 2e-3 && sum[1] > sum[2] - 0.02,
          "importance-weighted %.4f, particle filter %.4f", sum[1], sum[2]);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    free(y);
}

/* Learned from data, the network finds the two wells: on new trials it beats the linear transition
   in the importance-weighted bound and in one-step prediction. */
TEST(vilds_parts, transition_is_learned) {
    NEED_NATIVE();
    enum { TRAIN = 120, B = 40 };
    double *y = wells(TRAIN, 5);
    double *held = wells(B, 6);
    double iw[B];
    double bound[2] = {0};
    double ahead[2] = {0};
    double *lp = numbers(B * WELL_T * WELL_N);
    for (int k = 0; k < 2; k++) {
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_error err = {0};
        desc.d = 1;
        desc.n = WELL_N;
        desc.obs = VDI_VILDS_GAUSSIAN;
        desc.linear = true;
        desc.free_start = true;
        desc.a0 = 0.9;
        if (k) {
            desc.transition_layers = 1;
            desc.transition_hidden[0] = 16;
        }
        desc.train.steps = 900;
        desc.train.no_masking = true;
        desc.train.samples = 2;
        vdi_vilds *m = make(&desc);
        vdi_vilds_data *data = observe(m, y, TRAIN, WELL_T), *other = observe(m, held, B, WELL_T);
        CHECK_OK(vdi_vilds_fit(m, data, NULL, NULL, NULL, &err), err);
        vdi_vilds_query q = VDI__ZERO;
        vdi_vilds_result out = VDI__ZERO;
        out.iw = iw;
        q.iw = 100;
        q.nodes = 15;
        CHECK_OK(vdi_vilds_infer(m, other, &q, &out, &err), err);
        for (int b = 0; b < B; b++)
            bound[k] += iw[b] / (B * WELL_T);
        CHECK_OK(vdi_vilds_predict(m, other, VDI_VILDS_ONE_STEP, &q, lp, NULL, &err), err);
        for (int64_t i = 0; i < B * WELL_T * WELL_N; i++)
            ahead[k] += lp[i] / (B * WELL_T);
        vdi_vilds_data_destroy(data);
        vdi_vilds_data_destroy(other);
        vdi_vilds_destroy(m);
    }
    CHECK(bound[1] > bound[0] + 0.01, "importance-weighted: network %.4f, linear %.4f nats per bin",
          bound[1], bound[0]);
    CHECK(ahead[1] > ahead[0], "one step: network %.4f, linear %.4f nats per bin", ahead[1],
          ahead[0]);
    free(y);
    free(held);
    free(lp);
}

/* ---- inputs ---------------------------------------------------------------------------------- */

enum { IN_B = 3, IN_T = 12, IN_N = 4, IN_D = 2, IN_U = 2 };
static const double input_A[IN_D * IN_D] = {0.9, 0.1, -0.1, 0.8};
static const double input_B[IN_U * IN_D] = {0.5, 0, -0.3, 0.7};

/* A model with that A, that B if it has inputs, read-out C, noise of 1, and the exact encoder. */
static void put_exact(vdi_vilds *m, const double *C, bool inputs) {
    const double Q[IN_D * IN_D] = {0.3, 0.1, 0.1, 0.2};
    double L[IN_D * IN_D] = {0};
    const vdi_state *state = vdi_vilds_state(m, false);
    vdi_error err = {0};
    for (int64_t i = 0; i < state->tensor_count; i++) {
        if (!strcmp(state->tensors[i].name, "data.mean"))
            vdi_tensor_fill(state->tensors[i].tensor, 0);
        if (!strcmp(state->tensors[i].name, "data.sd"))
            vdi_tensor_fill(state->tensors[i].tensor, 1);
    }
    CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q", Q, &err), err);
    for (int i = 0; i < IN_D * IN_D; i++)
        put(m, "prior.A", i, input_A[i]);
    for (int i = 0; i < IN_U * IN_D && inputs; i++)
        put(m, "prior.B", i, input_B[i]);
    fill(m, "encoder.window", 0);
    fill(m, "encoder.bias", 0);
    fill(m, "decoder.0.bias", 0);
    fill(m, "obs.log_sd", 0);
    for (int j = 0; j < IN_N; j++) {
        for (int i = 0; i < IN_D; i++) {
            put(m, "decoder.0.weight", i * IN_N + j, C[j * IN_D + i]);
            put(m, "encoder.window", j * (IN_D + IN_D * IN_D) + i, C[j * IN_D + i]);
            for (int l = 0; l < IN_D; l++)
                L[i * IN_D + l] += C[j * IN_D + i] * C[j * IN_D + l];
        }
    }
    CHECK_OK(vdi_cholesky(VDI_F64, IN_D, L, IN_D, &err), err);
    L[1] = 0;
    for (int i = 0; i < IN_D * IN_D; i++)
        put(m, "encoder.bias", IN_D + i, L[i]);
}

typedef struct exact_results {
    double bound[IN_B], mean[IN_B * IN_T * IN_D];
    double log_p[2][IN_B * IN_T * IN_N], rate[2][IN_B * IN_T * IN_N]; /* by task */
} exact_results;

static void infer_exactly(double *y, double *u, const double *C, bool inputs, exact_results *r) {
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds_result out = VDI__ZERO;
    vdi_error err = {0};
    desc.d = IN_D;
    desc.n = IN_N;
    desc.obs = VDI_VILDS_GAUSSIAN;
    desc.linear = desc.encoder_linear = true;
    desc.dtype = VDI_F64;
    desc.has_reach = true;
    desc.inputs = inputs ? IN_U : 0;
    vdi_vilds *m = make(&desc);
    dd.y = vdi_tensor_3d(y, VDI_F64, IN_B, IN_T, IN_N);
    dd.u = vdi_tensor_3d(u, VDI_F64, IN_B, IN_T, IN_U);
    vdi_vilds_data *data = take(m, &dd);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    put_exact(m, C, inputs);
    out.elbo = r->bound;
    out.mean = r->mean;
    CHECK_OK(vdi_vilds_infer(m, data, NULL, &out, &err), err);
    vdi_vilds_query q = VDI__ZERO;
    q.refine = 20; /* the encoder is exact where nothing is left out */
    for (int task = 0; task < 2; task++) {
        CHECK_OK(vdi_vilds_predict(m, data, (vdi_vilds_prediction)task, &q, r->log_p[task],
                                   r->rate[task], &err),
                 err);
    }
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
}

/* What B u_t does: the model on y is the model without inputs on y less its response C mu, mu_t = A
 * mu_{t-1} + B u_t, mu_1 = 0. With the exact encoder both bounds are log p(y), and predictions are
 * moved by C mu. */
TEST(vilds_parts, inputs) {
    unsigned long long seed = 17;
    double y[2][IN_B * IN_T * IN_N], u[IN_B * IN_T * IN_U], C[IN_N * IN_D];
    double mu[IN_B * IN_T * IN_D];
    static exact_results r[2];
    for (int i = 0; i < IN_B * IN_T * IN_U; i++)
        u[i] = test_normal(&seed);
    for (int i = 0; i < IN_N * IN_D; i++)
        C[i] = test_normal(&seed);
    for (int i = 0; i < IN_B * IN_T; i++) {
        const double *before = mu + (i - 1) * IN_D;
        for (int k = 0; k < IN_D; k++) {
            double s = 0;
            if (i % IN_T) {
                s = input_A[k * IN_D] * before[0] + input_A[k * IN_D + 1] * before[1] +
                    u[i * IN_U] * input_B[k] + u[i * IN_U + 1] * input_B[IN_D + k];
            }
            mu[i * IN_D + k] = s;
        }
    }
    for (int i = 0; i < IN_B * IN_T * IN_N; i++) {
        const double *read = C + i % IN_N * IN_D, *at = mu + i / IN_N * IN_D;
        y[0][i] = 2 * test_normal(&seed);
        y[1][i] = y[0][i] - read[0] * at[0] - read[1] * at[1];
    }
    infer_exactly(y[0], u, C, true, &r[0]);
    infer_exactly(y[1], u, C, false, &r[1]);
    for (int b = 0; b < IN_B; b++)
        CHECK_CLOSE(r[0].bound[b], r[1].bound[b], 1e-9 * fabs(r[1].bound[b]));
    for (int i = 0; i < IN_B * IN_T * IN_D; i++)
        CHECK_CLOSE(r[0].mean[i], r[1].mean[i] + mu[i], 1e-9);
    for (int task = 0; task < 2; task++) {
        for (int i = 0; i < IN_B * IN_T * IN_N; i++) {
            CHECK_CLOSE(r[0].log_p[task][i], r[1].log_p[task][i], 1e-8);
            CHECK_CLOSE(r[0].rate[task][i], r[1].rate[task][i] + y[0][i] - y[1][i], 1e-8);
        }
    }
}

/* B is found in data: one latent, one input. */
TEST(vilds_parts, inputs_are_learned) {
    NEED_NATIVE();
    enum { TRIALS = 60, LONG = 50, N = 4 };
    double *w = numbers(TRIALS * LONG), *v = numbers(TRIALS * LONG * N), z = 0;
    vdi_rng rng = vdi_rng_make(8, 0);
    for (int64_t i = 0; i < TRIALS * LONG; i++) {
        w[i] = vdi_rng_normal(&rng);
        z = i % LONG ? 0.8 * z + 0.6 * w[i] + 0.3 * vdi_rng_normal(&rng) : vdi_rng_normal(&rng);
        for (int j = 0; j < N; j++)
            v[i * N + j] = (double)vdi_rng_poisson(&rng, exp(0.3 + (j % 2 ? 0.7 : -0.7) * z));
    }
    double score[2];
    for (int k = 0; k < 2; k++) {
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_vilds_data_desc dd = VDI__ZERO;
        vdi_error err = {0};
        desc.d = 1;
        desc.n = N;
        desc.linear = true;
        desc.inputs = k;
        desc.a0 = 0.9;
        desc.train.steps = 400;
        vdi_vilds *m = make(&desc);
        dd.y = vdi_tensor_3d(v, VDI_F64, TRIALS, LONG, N);
        dd.u = vdi_tensor_3d(w, VDI_F64, TRIALS, LONG, 1);
        vdi_vilds_data *data = take(m, &dd);
        CHECK_OK(vdi_vilds_fit(m, data, NULL, NULL, NULL, &err), err);
        CHECK_OK(vdi_vilds_score(m, data, NULL, &score[k], &err), err);
        if (k) {
            vdi_tensor Bv = param(m, "prior.B")->value, Cv = param(m, "decoder.0.weight")->value;
            double gain = vdi_dtype_load(Bv.dtype, Bv.data, 0) *
                          vdi_dtype_load(Cv.dtype, Cv.data, 1); /* scale and sign of z are free */
            CHECK(fabs(gain - 0.42) < 0.06, "B times the read-out is %.3f, in truth 0.42", gain);
        }
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
    }
    CHECK(score[1] > score[0] + 0.1, "with inputs %.4f, without %.4f", score[1], score[0]);
    free(w);
    free(v);
}

/* ---- exposure, and kinds of observations ----------------------------------------------------- */

enum { EXP_B = 2, EXP_T = 3, EXP_N = 3, EXP_CELLS = EXP_B * EXP_T * EXP_N };
static const double exposure_y[EXP_CELLS] = {0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0};
static const double exposure_bias[EXP_N] = {0.3, -0.5, 0.1};
static const struct {
    vdi_vilds_obs obs;
    vdi_vilds_link link;
} exposures[] = {{VDI_VILDS_POISSON, VDI_VILDS_EXP}, {VDI_VILDS_POISSON, VDI_VILDS_SOFTPLUS},
                 {VDI_VILDS_NEGBIN, VDI_VILDS_EXP},  {VDI_VILDS_NEGBIN, VDI_VILDS_SOFTPLUS},
                 {VDI_VILDS_ZIP, VDI_VILDS_EXP},     {VDI_VILDS_ZIP, VDI_VILDS_SOFTPLUS},
                 {VDI_VILDS_COUNT, VDI_VILDS_EXP},   {VDI_VILDS_BERNOULLI, VDI_VILDS_EXP},
                 {VDI_VILDS_GAUSSIAN, VDI_VILDS_EXP}};

/* log p(v) of a channel with that bias and offset o, and its mean: widths of 0.7, log shape 0.2,
 * log standard deviation 0.1, log odds of an extra zero -1.5, no g. */
static double by_hand(size_t k, double v, double bias, double o, double *mean) {
    const vdi_vilds_obs obs = exposures[k].obs;
    if (obs == VDI_VILDS_GAUSSIAN) {
        *mean = bias + o;
        return -0.5 * ((v - *mean) * (v - *mean) * exp(-0.2) + VDI_LOG_2PI) - 0.1;
    }
    if (obs == VDI_VILDS_BERNOULLI) {
        *mean = 1 / (1 + exp(-bias - o));
        return v > 0 ? log(*mean) : log1p(-*mean);
    }
    *mean = 0.7 * exp(o) *
            (exposures[k].link == VDI_VILDS_SOFTPLUS ? log1p(exp(bias)) + 1e-6 : exp(bias));
    if (obs == VDI_VILDS_ZIP) {
        const double extra = 1 / (1 + exp(1.5)), m = *mean;
        *mean = (1 - extra) * m;
        return v > 0 ? log((1 - extra) * exp(-m) * pow(m, v) / tgamma(v + 1))
                     : log(extra + (1 - extra) * exp(-m));
    }
    if (obs != VDI_VILDS_NEGBIN) return v * log(*mean) - *mean - lgamma(v + 1);
    const double r = exp(0.2);
    return lgamma(v + r) - lgamma(r) - lgamma(v + 1) + r * log(r / (r + *mean)) +
           v * log(*mean / (r + *mean));
}

static void exposure_check(size_t k, double *offset) {
    const vdi_vilds_obs obs = exposures[k].obs;
    double y[EXP_CELLS], lp[EXP_CELLS], rate[EXP_CELLS], elbo[EXP_B], sum[EXP_B] = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds_result out = VDI__ZERO;
    vdi_error err = {0};
    desc.d = 1;
    desc.n = EXP_N;
    desc.obs = obs;
    desc.link = exposures[k].link;
    desc.bin_width = 0.7;
    desc.linear = desc.encoder_linear = true;
    desc.dtype = VDI_F64;
    desc.max_count = 3;
    vdi_vilds *m = make(&desc);
    memcpy(y, exposure_y, sizeof y);
    dd.y = vdi_tensor_3d(y, VDI_F64, EXP_B, EXP_T, EXP_N);
    dd.has_offset = true;
    dd.offset = vdi_tensor_2d(offset, VDI_F64, EXP_T, EXP_N);
    vdi_vilds_data *data = take(m, &dd);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    fill(m, "decoder.0.weight", 0);
    fill(m, "encoder.window", 0);
    fill(m, "encoder.mask", 0);
    fill(m, "encoder.bias", 0);
    for (int j = 0; j < EXP_N; j++)
        put(m, "decoder.0.bias", j, exposure_bias[j]);
    if (obs == VDI_VILDS_NEGBIN) fill(m, "obs.log_shape", 0.2);
    if (obs == VDI_VILDS_GAUSSIAN) fill(m, "obs.log_sd", 0.1);
    if (obs == VDI_VILDS_ZIP) fill(m, "obs.zero_log_odds", -1.5);
    if (obs == VDI_VILDS_COUNT) fill(m, "obs.g", 0);
    out.elbo = elbo;
    out.rate = rate;
    CHECK_OK(vdi_vilds_infer(m, data, NULL, &out, &err), err);
    CHECK_OK(vdi_vilds_predict(m, data, VDI_VILDS_LEAVE_ONE_OUT, NULL, lp, NULL, &err), err);
    for (int i = 0; i < EXP_CELLS; i++) {
        double mean;
        const double p =
            by_hand(k, y[i], exposure_bias[i % EXP_N], offset[i % (EXP_T * EXP_N)], &mean);
        sum[i / (EXP_T * EXP_N)] += p;
        CHECK(fabs(lp[i] - p) < 1e-6, "case %zu, value %d: log p %.9g, by hand %.9g", k, i, lp[i],
              p);
        CHECK(fabs(rate[i] - mean) < 1e-6, "case %zu, value %d: mean %.9g, by hand %.9g", k, i,
              rate[i], mean);
    }
    for (int b = 0; b < EXP_B; b++) {
        CHECK(fabs(elbo[b] - sum[b]) < 1e-6, "case %zu: bound %.9g, by hand %.9g", k, elbo[b],
              sum[b]);
    }
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
}

/* With a read-out that does not depend on z and a posterior that is the prior, the bound is log
 * p(y): a sum over channels that can be written down; and so is each prediction. */
TEST(vilds_parts, exposure) {
    double offset[EXP_T * EXP_N], y[EXP_CELLS];
    unsigned long long seed = 4;
    for (int i = 0; i < EXP_T * EXP_N; i++)
        offset[i] = 0.4 * test_normal(&seed);
    for (size_t k = 0; k < VDI__COUNT(exposures); k++)
        exposure_check(k, offset);
    /* an offset has to be finite and of the right shape */
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds_data *data;
    vdi_error err = {0};
    desc.d = 1;
    desc.n = EXP_N;
    vdi_vilds *m = make(&desc);
    memcpy(y, exposure_y, sizeof y);
    offset[2] = HUGE_VAL;
    dd.y = vdi_tensor_3d(y, VDI_F64, EXP_B, EXP_T, EXP_N);
    dd.has_offset = true;
    dd.offset = vdi_tensor_2d(offset, VDI_F64, EXP_T, EXP_N);
    CHECK_FAILS(vdi_vilds_data_create(m, &dd, &data, &err), VDI_ERR_DATA);
    dd.offset = vdi_tensor_2d(offset, VDI_F64, EXP_N, EXP_T + 1);
    CHECK_FAILS(vdi_vilds_data_create(m, &dd, &data, &err), VDI_ERR_SHAPE);
    vdi_vilds_destroy(m);
}

enum { KIND_B = 60, KIND_T = 40, KIND_N = 10, KIND_TRAIN = 45 };
enum { KIND_SEEN = KIND_TRAIN * KIND_T * KIND_N, KIND_CELLS = KIND_B * KIND_T * KIND_N };

/* A model of counts y (KIND_B, KIND_T, KIND_N) fitted on the first trials; its score on the others,
 * whose rates go to `rate` unless NULL. */
static vdi_vilds *fit_kind(vdi_vilds_obs obs, int64_t steps, double *y, double *score,
                           double *rate) {
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_error err = {0};
    desc.d = 2;
    desc.n = KIND_N;
    desc.obs = obs;
    desc.train.steps = steps;
    desc.train.batch = 15;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *train = observe(m, y, KIND_TRAIN, KIND_T);
    vdi_vilds_data *held = observe(m, y + KIND_SEEN, KIND_B - KIND_TRAIN, KIND_T);
    CHECK_OK(vdi_vilds_fit(m, train, NULL, NULL, NULL, &err), err);
    CHECK_OK(vdi_vilds_score(m, held, NULL, score, &err), err);
    if (rate) {
        vdi_vilds_result out = VDI__ZERO;
        out.rate = rate;
        CHECK_OK(vdi_vilds_infer(m, held, NULL, &out, &err), err);
    }
    vdi_vilds_data_destroy(train);
    vdi_vilds_data_destroy(held);
    return m;
}

static double phase(int64_t i) {
    return (double)(i / KIND_N % KIND_T) * 0.3 + (double)(i % KIND_N);
}

/* Negative binomial counts are learned: better than Poisson on new trials, and the shape found. */
TEST(vilds_parts, negative_binomial_counts) {
    NEED_NATIVE();
    double *y = numbers(KIND_CELLS), poisson, negbin, shape = 0;
    vdi_rng rng = vdi_rng_make(31, 0);
    for (int64_t i = 0; i < KIND_CELLS; i++) {
        const double mean = exp(0.8 + 0.8 * sin(phase(i)));
        y[i] = (double)vdi_rng_poisson(&rng, mean * vdi_rng_gamma(&rng, 1.5) / 1.5);
    }
    vdi_vilds_destroy(fit_kind(VDI_VILDS_POISSON, 450, y, &poisson, NULL));
    vdi_vilds *m = fit_kind(VDI_VILDS_NEGBIN, 450, y, &negbin, NULL);
    vdi_tensor v = param(m, "obs.log_shape")->value;
    for (int64_t j = 0; j < KIND_N; j++)
        shape += vdi_dtype_load(v.dtype, v.data, j) / KIND_N;
    CHECK(fabs(shape - log(1.5)) < 0.3, "the shape is %.3f, in truth 1.5", exp(shape));
    CHECK(negbin > poisson + 0.5, "negative binomial %.4f, Poisson %.4f nats per bin", negbin,
          poisson);
    vdi_vilds_destroy(m);
    free(y);
}

/* Bernoulli observations are learned, and their probabilities found. */
TEST(vilds_parts, bernoulli_observations) {
    NEED_NATIVE();
    enum { HELD = (KIND_B - KIND_TRAIN) * KIND_T };
    double *y = numbers(KIND_CELLS), *p = numbers(KIND_CELLS), *rate = numbers(KIND_CELLS);
    double truth = 0, homogeneous = 0, means[KIND_N] = {0}, score, r2 = 0;
    vdi_rng rng = vdi_rng_make(31, 0);
    vdi_error err = {0};
    for (int64_t i = 0; i < KIND_CELLS; i++) {
        p[i] = 1 / (1 + exp(0.5 - 2 * sin(phase(i))));
        y[i] = vdi_rng_uniform(&rng) < p[i];
        if (i < KIND_SEEN) means[i % KIND_N] += y[i] / (KIND_TRAIN * KIND_T);
    }
    for (int64_t i = KIND_SEEN; i < KIND_CELLS; i++) {
        const double mean = means[i % KIND_N];
        truth += log(y[i] > 0 ? p[i] : 1 - p[i]) / HELD;
        homogeneous += log(y[i] > 0 ? mean : 1 - mean) / HELD;
    }
    vdi_vilds_destroy(fit_kind(VDI_VILDS_BERNOULLI, 300, y, &score, rate));
    CHECK_OK(vdi_score_r2(HELD, KIND_N, p + KIND_SEEN, rate, NULL, &r2, &err), err);
    CHECK(score > homogeneous + 0.6 * (truth - homogeneous) && score < truth,
          "Bernoulli %.4f, homogeneous %.4f, truth %.4f", score, homogeneous, truth);
    CHECK(r2 > 0.85, "R2 of the probabilities is %.3f", r2);
    free(y);
    free(p);
    free(rate);
}

/* ---- training -------------------------------------------------------------------------------- */

/* A log joint that notes what it is told: y holds each bin's number in its trial, so that what is
 * said of the start can be checked. */
typedef struct told {
    int64_t starts, middles, wrong;
} told;
static vdi_var listening(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask,
                         const vdi_trial_info *info, void *user) {
    told *w = (told *)user;
    const double *v = (const double *)vdi_tape_value(t, y).data;
    for (int64_t b = 0; b < info->trials; b++) {
        w->starts += info->start[b];
        w->middles += !info->start[b];
        w->wrong += info->start[b] != (v[b * info->T] == 0) || info->length[b] != 6;
        for (int64_t k = 1; k < info->length[b]; k++)
            w->wrong += v[b * info->T + k] != v[b * info->T] + (double)k;
    }
    vdi_var energy =
        vdi_var_mul(t, vdi_var_square(t, vdi_var_sub(t, z, vdi_var_cast(t, y, VDI_F64))),
                    vdi_var_cast(t, mask, VDI_F64));
    return vdi_var_mul_scalar(
        t, vdi_var_sum_axis(t, vdi_var_sum_axis(t, energy, 3, false), 2, false), -0.5);
}

/* Windows: the log joint is told truly where each begins; for the ready prior, one in the middle
 * does not see Q0 and x0. */
TEST(vilds_parts, windows) {
    enum { B = 4, T = 30, N = 3 };
    double y[B * T * N], loss[2];
    vdi_error err = {0};
    told w = {0, 0, 0};
    vdi_vilds_desc desc = VDI__ZERO;
    for (int i = 0; i < B * T; i++)
        y[i] = i % T;
    desc.d = desc.n = 1;
    desc.obs = VDI_VILDS_GAUSSIAN;
    desc.dtype = VDI_F64;
    desc.log_joint = listening;
    desc.user = &w;
    desc.train.window = 6;
    desc.train.steps = 60;
    desc.train.no_masking = true;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, T);
    CHECK_OK(vdi_vilds_fit(m, data, NULL, NULL, NULL, &err), err);
    CHECK(w.wrong == 0, "%d windows are not what was said of them", (int)w.wrong);
    CHECK(w.starts > 0 && w.middles > 4 * w.starts, "%d windows at the start, %d in the middle",
          (int)w.starts, (int)w.middles);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);

    unsigned long long seed = 2;
    for (int i = 0; i < B * T * N; i++)
        y[i] = floor(fabs(test_normal(&seed)));
    int same = 0, other = 0;
    memset(&desc, 0, sizeof desc);
    desc.d = 2;
    desc.n = N;
    desc.dtype = VDI_F64;
    desc.free_start = true;
    desc.train.window = 6;
    desc.train.batch = 1;
    m = make(&desc);
    data = observe(m, y, B, T);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    for (int step = 0; step < 60; step++) {
        for (int k = 0; k < 2; k++) {
            fill(m, "prior.x0", k ? 5 : 0);
            put(m, "prior.Q0", 0, k ? 1 : 0);
            CHECK_OK(vdi_vilds_loss(m, data, step, &loss[k], &err), err);
        }
        if (loss[0] == loss[1])
            same++;
        else
            other++;
    }
    /* 1 of 25 begins its trial */
    CHECK(other > 0 && same > 40, "%d of 60 windows depend on the initial distribution", other);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
}

/* Restarts: the start with the best training bound goes on. */
typedef struct starts {
    int count;
    double elbo[16];
} starts;
static void note_start(const vdi_log_record *r, void *user) {
    starts *s = (starts *)user;
    const char *at = strstr(r->message, "ELBO ");
    if (!strncmp(r->message, "start ", 6) && at && s->count < 16)
        s->elbo[s->count++] = atof(at + 5);
}
TEST(vilds_parts, best_start_goes_on) {
    enum { B = 10, T = 20, N = 6, STARTS = 5 };
    double y[B * T * N];
    starts s;
    vdi_error err = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_rng rng = vdi_rng_make(3, 0);
    memset(&s, 0, sizeof s);
    for (int i = 0; i < B * T * N; i++)
        y[i] = (double)vdi_rng_poisson(&rng, exp(sin(0.4 * (i / N % T) + i % N)));
    desc.d = 2;
    desc.n = N;
    desc.dtype = VDI_F64;
    desc.train.restarts = STARTS;
    desc.train.restart_steps = 30;
    desc.train.steps = 3;
    desc.logger.log_fn = note_start;
    desc.logger.user = &s;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, T);
    vdi_params *p = vdi_vilds_params(m);
    size_t bytes = (size_t)p->total * sizeof(double);
    double *end[STARTS];
    int best = 0;
    for (int k = 0; k < STARTS; k++) {
        end[k] = numbers(p->total);
        for (int i = 0; i < 30; i++) {
            /* what a start ends with is gone with its last step: keep what it had before */
            CHECK_OK(vdi_vilds_step(m, data, NULL, NULL, &err), err);
            if (i == 28) memcpy(end[k], p->values, bytes);
        }
        if (k && s.elbo[k] > s.elbo[best]) best = k;
    }
    CHECK(s.count == STARTS, "%d starts were told of", s.count);
    int nearest = 0;
    double least = HUGE_VAL;
    for (int k = 0; k < STARTS; k++) { /* one step away from that start's, far from the others' */
        double far = 0;
        for (int64_t i = 0; i < p->total; i++)
            far += fabs(end[k][i] - ((double *)p->values)[i]);
        if (far < least) {
            least = far;
            nearest = k;
        }
    }
    CHECK(nearest == best, "start %d goes on, the best is %d (%.4f against %.4f)", nearest, best,
          s.elbo[nearest], s.elbo[best]);
    for (int k = 0; k < STARTS; k++)
        free(end[k]);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
}

/* Early stopping: validation trials of another world make it stop, and the parameters that were
 * best there stand. */
TEST(vilds_parts, early_stopping) {
    enum { B = 6, T = 20, N = 5 };
    double y[2 * B * T * N], best = -HUGE_VAL, last = 0, score;
    vdi_error err = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_rng rng = vdi_rng_make(5, 0);
    for (int i = 0; i < 2 * B * T * N; i++) {
        y[i] = (double)vdi_rng_poisson(
            &rng, exp((i < B * T * N ? 1 : -1) * 1.5 * sin(0.4 * (i / N % T) + i % N)));
    }
    desc.d = 3;
    desc.n = N;
    desc.linear = true;
    desc.dtype = VDI_F64;
    desc.has_reach = true;
    desc.train.steps = 2000;
    desc.train.eval_every = 5;
    desc.train.patience = 4;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, T), *other = observe(m, y + B * T * N, B, T);
    vdi_vilds_progress p;
    vdi_status status;
    while ((status = vdi_vilds_step(m, data, other, &p, &err)) == VDI_OK) {
        if (p.validation > best) best = p.validation;
        last = p.validation;
    }
    CHECK(status == VDI_END, "%s", err.message);
    CHECK(p.step < 1000, "%d steps were made", (int)p.step);
    CHECK(last < best, "validation ends at its best, %g", best);
    CHECK_OK(vdi_vilds_score(m, other, NULL, &score, &err), err);
    CHECK_CLOSE(score, best, 1e-9 * fabs(best)); /* in closed form: the same number */
    vdi_vilds_data_destroy(data);
    vdi_vilds_data_destroy(other);
    vdi_vilds_destroy(m);
}

/* A log joint that now and then is not a number, and now and then has an infinite slope: those
   steps are undone to the bit of the state before, shortened, told of; the parameters are finite
   throughout. */
typedef struct trap {
    int calls, sprung, told;
} trap;
static vdi_var trapped(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask, const vdi_trial_info *info,
                       void *user) {
    trap *w = (trap *)user;
    vdi_var r = vdi_var_mul_scalar(t, vdi_var_square(t, z), -0.5);
    (void)y;
    (void)mask;
    (void)info;
    r = vdi_var_sum_axis(t, vdi_var_sum_axis(t, r, 3, false), 2, false);
    w->calls++;
    if (w->calls % 7 == 0) {
        w->sprung++;
        r = vdi_var_mul_scalar(t, r, w->calls % 2 ? (double)NAN : (double)HUGE_VAL);
    }
    if (w->calls % 11 == 0) { /* slope 1/0 at 0 */
        w->sprung++;
        r = vdi_var_add(t, r, vdi_var_sqrt(t, vdi_var_mul_scalar(t, r, 0)));
    }
    return r;
}
static void note_undone(const vdi_log_record *r, void *user) {
    if (strstr(r->message, "undone")) ((trap *)user)->told++;
}
TEST(vilds_parts, steps_are_undone) {
    enum { B = 4, T = 8 };
    double y[B * T] = {0};
    trap w = {0, 0, 0};
    vdi_error err = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    desc.d = desc.n = 1;
    desc.obs = VDI_VILDS_GAUSSIAN;
    desc.dtype = VDI_F64;
    desc.log_joint = trapped;
    desc.user = &w;
    desc.train.steps = 60;
    desc.logger.log_fn = note_undone;
    desc.logger.user = &w;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, T);
    vdi_vilds_progress p;
    vdi_status status;
    double rate = 0;
    int64_t undone = 0;
    vdi_params *params = vdi_vilds_params(m);
    while ((status = vdi_vilds_step(m, data, NULL, &p, &err)) == VDI_OK) {
        CHECK(vdi_count_nonfinite(VDI_F64, (size_t)params->total, params->values) == 0,
              "step %d leaves a parameter that is not finite", (int)p.step);
        CHECK(p.elbo == p.elbo, "the bound that is told is not a number");
        if (rate > 0) {
            CHECK(p.rate < 0.55 * rate, "the step after an undone one is not shorter: %g, %g",
                  p.rate, rate);
        }
        rate = undone < p.undone && p.step > 25 ? p.rate : 0; /* behind the warm-up */
        undone = p.undone;
    }
    CHECK(status == VDI_END, "%s: %s", vdi_status_name(status), err.message);
    CHECK(p.undone >= 8 && p.undone == w.told, "%d steps undone, %d told of, %d traps",
          (int)p.undone, w.told, w.sprung);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
}

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct meter {
    size_t now, peak;
    int64_t calls;
} meter;
static void *meter_alloc(size_t size, size_t align, void *user) {
    meter *w = (meter *)user;
    vdi_allocator plain = vdi_allocator_defaults(NULL);
    void *p = plain.alloc_fn(size, align, plain.user);
    if (p) {
        w->calls++;
        w->now += size;
        w->peak = VDI__MAX(w->peak, w->now);
    }
    return p;
}
static void meter_free(void *p, size_t size, size_t align, void *user) {
    vdi_allocator plain = vdi_allocator_defaults(NULL);
    if (p) ((meter *)user)->now -= size;
    plain.free_fn(p, size, align, plain.user);
}

/* The memory of a training step grows in proportion to T; and once warm, neither steps nor
 * inference allocate. */
TEST(vilds_parts, memory) {
    NEED_NATIVE();
    enum { N = 10, B = 2 };
    double used[3];
    for (int k = 0; k < 3; k++) {
        const int64_t T = 1000 << k;
        meter w = {0, 0, 0};
        vdi_error err = {0};
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_vilds_data_desc dd = VDI__ZERO;
        double *y = numbers(B * T * N), *mean = numbers(B * T * 3), *elbo = numbers(B);
        int64_t lengths[B];
        unsigned long long seed = 6;
        for (int64_t i = 0; i < B * T * N; i++)
            y[i] = floor(fabs(test_normal(&seed)));
        y[5] = NAN;
        lengths[0] = T;
        lengths[1] = T - 100;
        desc.d = 3;
        desc.n = N;
        desc.allocator.alloc_fn = meter_alloc;
        desc.allocator.free_fn = meter_free;
        desc.allocator.user = &w;
        desc.train.open_from = 0.01;
        desc.train.open_to = 0.02;
        desc.train.steps = 1000;
        vdi_vilds *m = make(&desc);
        dd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
        dd.lengths = lengths;
        vdi_vilds_data *data = take(m, &dd);
        const size_t before = w.now;
        for (int i = 0; i < 25; i++)
            CHECK_OK(vdi_vilds_step(m, data, NULL, NULL, &err), err);
        used[k] = (double)(w.peak - before);
        /* chunks double as they grow, so at least half of what is held is in use */
        const double told = (double)vdi_vilds_bytes(m, data) / (double)w.now;
        CHECK(told > 0.5 && told <= 1, "tells %g of the memory that is held", told);
        int64_t calls = w.calls;
        for (int i = 0; i < (k ? 2 : 20); i++)
            CHECK_OK(vdi_vilds_step(m, data, NULL, NULL, &err), err);
        CHECK(w.calls == calls, "%d allocations in warm steps", (int)(w.calls - calls));
        vdi_vilds_query q = VDI__ZERO;
        vdi_vilds_result out = VDI__ZERO;
        out.mean = mean;
        out.elbo = elbo;
        q.refine = 1;
        for (int i = 0; i < (k ? 0 : 2); i++)
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
        calls = w.calls;
        for (int i = 0; i < (k ? 0 : 2); i++)
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
        CHECK(w.calls == calls, "%d allocations in warm inference", (int)(w.calls - calls));
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
        CHECK(w.now == 0, "%d bytes are not given back", (int)w.now);
        free(y);
        free(mean);
        free(elbo);
    }
    CHECK(used[1] < 2.2 * used[0] && used[2] < 2.2 * used[1],
          "a step takes %.3g, %.3g, %.3g bytes for T = 1000, 2000, 4000", used[0], used[1],
          used[2]);
    CHECK(used[2] > 3 * used[0], "the meter sees nothing: %.3g, %.3g bytes", used[0], used[2]);
}

/* A trial longer than 8192 bins goes through the networks in strips and its samples some at a time:
 * it has the posterior, rates and bound of one that is a bin shorter and goes through whole, but
 * for that bin. Exposures swing by a factor of 50, so that counts in the wrong place would tell. */
TEST(vilds_parts, long_trials_in_strips) {
    NEED_NATIVE();
    enum { T = 8193, N = 3, D = 2 };
    double *y = numbers(T * N), *offset = numbers(T * N), *mean[2], *rate[2], elbo[2];
    double *sample = numbers(2 * T * D), off[2] = {0, 0}, together = 0;
    unsigned long long seed = 4;
    vdi_error err = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds_query q = VDI__ZERO;
    for (int64_t i = 0; i < T * N; i++) {
        offset[i] = 2 * sin(0.01 * (double)(i / N) + (double)(i % N));
        y[i] = floor(exp(offset[i]) * (0.5 + test_uniform(&seed)) + 0.5);
        if (i % 11 == 0) y[i] = NAN;
    }
    desc.d = D;
    desc.n = N;
    desc.dtype = VDI_F64;
    vdi_vilds *m = make(&desc);
    q.samples = 1;
    for (int k = 0; k < 2; k++) {
        vdi_vilds_result out = VDI__ZERO;
        dd.y = vdi_tensor_3d(y, VDI_F64, 1, T - k, N);
        dd.offset = vdi_tensor_3d(offset, VDI_F64, 1, T - k, N);
        dd.has_offset = true;
        vdi_vilds_data *data = take(m, &dd);
        if (k == 0) CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
        out.mean = mean[k] = numbers(T * D);
        out.rate = rate[k] = numbers(T * N);
        out.elbo = &elbo[k];
        CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
        if (k == 0) {
            vdi_vilds_query two = q;
            vdi_vilds_result drawn = VDI__ZERO;
            two.samples = 2;
            drawn.sample = sample;
            CHECK_OK(vdi_vilds_infer(m, data, &two, &drawn, &err), err);
        }
        vdi_vilds_data_destroy(data);
    }
    /* two samples, each as far from the mean as the other, that have nothing else in common */
    for (int64_t i = 0; i < T * D; i++) {
        const double a = sample[i] - mean[0][i], b = sample[T * D + i] - mean[0][i];
        off[0] += a * a;
        off[1] += b * b;
        together += a * b;
    }
    CHECK(off[0] > 0 && fabs(off[1] / off[0] - 1) < 0.2 && fabs(together) < 0.2 * off[0],
          "squares %g and %g, product %g", off[0], off[1], together);
    free(sample);
    for (int64_t i = 0; i < (T - 2000) * D; i++)
        CHECK_CLOSE(mean[0][i], mean[1][i], 1e-9);
    for (int64_t i = 0; i < (T - 2000) * N; i++)
        CHECK_CLOSE(rate[0][i], rate[1][i], 1e-9 * rate[1][i]);
    CHECK(elbo[0] < elbo[1] && elbo[0] > elbo[1] - 30, "bounds %.6g and %.6g", elbo[0], elbo[1]);
    for (int k = 0; k < 2; k++) {
        free(mean[k]);
        free(rate[k]);
    }
    free(y);
    free(offset);
    vdi_vilds_destroy(m);
}

/* More importance samples take no more memory, and a score asks the allocator for nothing. */
TEST(vilds_parts, importance_samples_take_no_more_room) {
    enum { B = 3, T = 8, N = 4 };
    double y[B * T * N], iw[2][B], score;
    meter w = {0, 0, 0};
    unsigned long long seed = 12;
    vdi_error err = {0};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_query q = VDI__ZERO;
    vdi_vilds_result out = VDI__ZERO;
    for (int i = 0; i < B * T * N; i++)
        y[i] = floor(fabs(test_normal(&seed)));
    desc.d = 2;
    desc.n = N;
    desc.dtype = VDI_F64;
    desc.hidden[0] = desc.hidden[1] = 5;
    desc.layers = 2;
    desc.allocator.alloc_fn = meter_alloc;
    desc.allocator.free_fn = meter_free;
    desc.allocator.user = &w;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, T);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    out.iw = iw[0];
    q.refine = 8;
    q.iw = 1024;
    CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
    const int64_t calls = w.calls;
    out.iw = iw[1];
    q.iw = 20000;
    CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
    CHECK_OK(vdi_vilds_score(m, data, NULL, &score, &err), err);
    CHECK(w.calls == calls, "%d blocks for more samples", (int)(w.calls - calls));
    for (int b = 0; b < B; b++) { /* both are estimates of log p(y) */
        CHECK_CLOSE(iw[0][b], iw[1][b], 0.05);
    }
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    CHECK(w.now == 0, "%d bytes are not given back", (int)w.now);
}

/* ---- the families of q ----------------------------------------------------------------------- */

/* On counts of a Poisson LDS with as many spikes as it takes to move a posterior far within a few
 * hundred steps: each family trains, and what sees more of the structure is closer to log p(y), on
 * trials that were not seen as well. */
TEST(vilds_parts, three_posteriors) {
    NEED_NATIVE();
    enum { B = 80, TRAIN = 60, T = 40, N = 15 };
    double *y = numbers(B * T * N), C[N][2], bound[3];
    vdi_rng rng = vdi_rng_make(33, 0);
    vdi_error err = {0};
    for (int j = 0; j < N; j++) {
        C[j][0] = 0.5 * vdi_rng_normal(&rng);
        C[j][1] = 0.5 * vdi_rng_normal(&rng);
    }
    for (int b = 0; b < B; b++) {
        double z[2] = {vdi_rng_normal(&rng), vdi_rng_normal(&rng)};
        for (int t = 0; t < T; t++) {
            for (int i = 0; i < 2; i++)
                z[i] = 0.95 * z[i] + 0.31 * vdi_rng_normal(&rng);
            for (int j = 0; j < N; j++) {
                y[(b * T + t) * N + j] =
                    (double)vdi_rng_poisson(&rng, 0.25 * exp(C[j][0] * z[0] + C[j][1] * z[1]));
            }
        }
    }
    for (int k = 0; k < 3; k++) {
        vdi_vilds_desc desc = VDI__ZERO;
        desc.d = 2;
        desc.n = N;
        desc.linear = true;
        desc.posterior = (vdi_vilds_family)k;
        desc.train.steps = 400;
        desc.train.rate = 1e-2;
        vdi_vilds *m = make(&desc);
        vdi_vilds_data *data = observe(m, y, TRAIN, T);
        vdi_vilds_data *held = observe(m, y + TRAIN * T * N, B - TRAIN, T);
        CHECK_OK(vdi_vilds_fit(m, data, NULL, NULL, NULL, &err), err);
        CHECK_OK(vdi_vilds_score(m, held, NULL, &bound[k], &err), err);
        vdi_vilds_data_destroy(data);
        vdi_vilds_data_destroy(held);
        vdi_vilds_destroy(m);
    }
    CHECK(bound[0] > bound[1] && bound[1] > bound[2] && bound[2] > bound[0] - 1.5,
          "held-out bounds: product %.4f, direct %.4f, mean field %.4f", bound[0], bound[1],
          bound[2]);
    free(y);
}

/* ---- what a log joint is handed, and what is said of what it gives back ---------------------- */

/* z is an AR(1) with a = tanh p0 and noise 1, y = z + N(0, 0.3^2). `mode`: what it gives back. */
typedef struct handed {
    int mode;
    int64_t wrong, said;
} handed;
static vdi_var walk(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask, const vdi_trial_info *info,
                    void *user) {
    handed *w = (handed *)user;
    const int64_t last = info->T - 1;
    vdi_var a = vdi_var_tanh(t, vdi_trial_param(t, info, 0)), zero = vdi_tape_scalar(t, 0);
    vdi_var inside = vdi_trial_mask(t, info), noise = vdi_tape_scalar(t, log(0.3));
    const vdi_var all[] = {z, y, mask, a, zero, inside};
    for (size_t i = 0; i < VDI__COUNT(all); i++)
        w->wrong += vdi_tape_value(t, all[i]).dtype != VDI_F64;
    const double *in = (const double *)vdi_tape_value(t, inside).data;
    for (int64_t i = 0; i < info->trials * info->T; i++)
        w->wrong += in[i] != (i % info->T < info->length[i / info->T]);
    vdi_var seen = vdi_var_mul(t, vdi_var_normal_log_prob(t, y, z, noise), mask);
    vdi_var move =
        vdi_var_normal_log_prob(t, vdi_var_slice(t, z, 2, 1, 1, last),
                                vdi_var_mul(t, vdi_var_slice(t, z, 2, 0, 1, last), a), zero);
    move = vdi_var_mul(t, move, vdi_var_slice(t, inside, 1, 1, 1, last));
    vdi_var first = vdi_var_normal_log_prob(t, vdi_var_slice(t, z, 2, 0, 1, 1), zero, zero);
    vdi_var parts[] = {seen, move, first};
    vdi_var sum = vdi_var_none();
    for (int k = 0; k < 3; k++) {
        parts[k] = vdi_var_sum_axis(t, vdi_var_sum_axis(t, parts[k], 3, false), 2, false);
        sum = k ? vdi_var_add(t, sum, parts[k]) : parts[k];
    }
    switch (w->mode) {
    case 1: return vdi_var_sum(t, sum);
    case 2: return vdi_var_cast(t, sum, VDI_F32);
    case 3: /* log 0 at bin 4 of all samples: z there is multiplied by nothing */
        seen = vdi_var_square(t, vdi_var_mul_scalar(t, vdi_var_slice(t, z, 2, 4, 1, 1), 0));
        seen = vdi_var_sum_axis(t, vdi_var_sum_axis(t, vdi_var_log(t, seen), 3, false), 2, false);
        return vdi_var_add(t, sum, seen);
    case 4: return vdi_var_neg(t, vdi_var_mul_scalar(t, sum, 1e9));
    default: return sum;
    }
}
static void hear(const vdi_log_record *r, void *user) {
    if (strstr(r->message, "above any density")) ((handed *)user)->said++;
}

TEST(vilds_parts, log_joint_contract) {
    enum { B = 3, T = 9 };
    static const char *const says[] = {NULL, "a scalar of float64 came", "(4,3) of float32 came",
                                       "of trial 0, first at bin 4"};
    double y[B * T];
    int64_t lengths[B] = {9, 6, 7};
    unsigned long long seed = 3;
    for (int i = 0; i < B * T; i++)
        y[i] = test_normal(&seed);
    y[2] = NAN;
    for (int mode = 0; mode < 5; mode++) {
        handed w = {mode, 0, 0};
        vdi_error err = {0};
        vdi_param_desc p = vdi_param_1d("a", VDI_INIT_CONSTANT, 1, 1);
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_vilds_data_desc dd = VDI__ZERO;
        vdi_vilds_query q = VDI__ZERO;
        double elbo;
        desc.d = desc.n = 1;
        desc.log_joint = walk;
        desc.user = &w;
        desc.user_params = &p;
        desc.user_param_count = 1;
        desc.logger.log_fn = hear;
        desc.logger.user = &w;
        vdi_vilds *m = make(&desc);
        dd.y = vdi_tensor_3d(y, VDI_F64, B, T, 1);
        dd.lengths = lengths;
        vdi_vilds_data *data = take(m, &dd);
        CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
        q.samples = 4;
        const vdi_status status = vdi_vilds_score(m, data, &q, &elbo, &err);
        CHECK((status < 0) == (mode >= 1 && mode <= 3), "mode %d: %s", mode, err.message);
        if (status < 0) CHECK(strstr(err.message, says[mode]) != NULL, "it says: %s", err.message);
        CHECK(w.wrong == 0, "%d things were not as told", (int)w.wrong);
        CHECK(w.said == (mode == 4), "a bound of %g: %d warnings", elbo, (int)w.said);
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
    }
}

/* ---- the linear prior and a posterior on a tape, by hand ------------------------------------- */

typedef struct prior_case {
    vdi_tape *t;
    vdi_lds_vars vars;
    vdi_trial_info info;
    int64_t length, trial;
    bool start;
} prior_case;
static const double prior_A[4] = {0.8, 0.1, -0.2, 0.9};
static const double prior_q[4] = {0.3, 0, 0.5, -0.2};
static const double prior_x0[2] = {0.4, -0.1};

static vdi_var constant(vdi_tape *t, const double *x, int64_t a, int64_t b) {
    return vdi_tape_constant(t, vdi_tensor_2d((void *)(uintptr_t)x, VDI_F64, a, b));
}
static void prior_begin(prior_case *c, int64_t T) {
    vdi_error err;
    memset(c, 0, sizeof *c);
    CHECK_OK(vdi_tape_create(NULL, &c->t, &err), err);
    c->vars.A = constant(c->t, prior_A, 2, 2);
    CHECK_OK(vdi_var_precision_root(c->t, constant(c->t, prior_q, 2, 2), &c->vars.Qi, &c->vars.ld),
             err);
    c->vars.Q0i = c->vars.Qi;
    c->vars.ld0 = c->vars.ld;
    c->vars.x0 = vdi_tape_constant(c->t, vdi_tensor_1d((void *)(uintptr_t)prior_x0, VDI_F64, 2));
    c->length = T;
    c->start = true;
    c->info.samples = c->info.trials = 1;
    c->info.T = T;
    c->info.length = &c->length;
    c->info.trial = &c->trial;
    c->info.start = &c->start;
}
static const double *value(const prior_case *c, vdi_var v) {
    return (const double *)vdi_tape_value(c->t, v).data;
}

/* z' P z with P = U' diag(exp 2w) U, U = (1 0; 0.5 1) */
static double quadratic(const double *z) {
    const double low = 0.5 * z[0] + z[1];
    return exp(0.6) * z[0] * z[0] + exp(-0.4) * low * low;
}

TEST(vilds_parts, linear_prior_by_hand) {
    const double z[6] = {0.3, -0.2, 0.5, 0.1, 1.1, -0.7};
    prior_case c;
    double energy = 0, step[2];
    prior_begin(&c, 3);
    CHECK_CLOSE(value(&c, c.vars.Qi)[0], exp(0.6) + 0.25 * exp(-0.4), 1e-15);
    CHECK_CLOSE(value(&c, c.vars.Qi)[1], 0.5 * exp(-0.4), 1e-15);
    CHECK_CLOSE(value(&c, c.vars.Qi)[3], exp(-0.4), 1e-15);
    CHECK_CLOSE(value(&c, c.vars.ld)[0], 2 * (0.3 - 0.2), 1e-15);
    for (int t = 0; t < 3; t++) {
        for (int i = 0; i < 2; i++) {
            const double *before = &z[t ? 2 * (t - 1) : 0];
            step[i] =
                z[2 * t + i] -
                (t ? prior_A[2 * i] * before[0] + prior_A[2 * i + 1] * before[1] : prior_x0[i]);
        }
        energy += quadratic(step);
    }
    const int64_t shape[4] = {1, 1, 3, 2};
    const vdi_var sample =
        vdi_tape_constant(c.t, vdi_tensor_view((void *)(uintptr_t)z, VDI_F64, 4, shape));
    const vdi_var none = vdi_var_none();
    CHECK_CLOSE(value(&c, vdi_var_lds_energy(c.t, &c.vars, sample, none, none, &c.info))[0], energy,
                1e-13);
    CHECK_CLOSE(value(&c, vdi_var_lds_log_prob(c.t, &c.vars, sample, &c.info))[0],
                -0.5 * energy + 0.5 * 3 * 0.2 - 3 * log(2 * VDI_PI), 1e-13);
    vdi_tape_destroy(c.t);
}

/* Mean field: a mean, and J = R R' + 1e-6 I in each bin, nothing between them. */
TEST(vilds_parts, a_posterior_by_hand) {
    prior_case c;
    vdi_var D, E, k;
    bool is_mean = false;
    double out[2 * 6], R[4];
    const int64_t shape[3] = {1, 2, 6};
    for (int i = 0; i < 12; i++)
        out[i] = 0.1 * i - 0.3;
    prior_begin(&c, 2);
    const vdi_var encoded = vdi_tape_constant(c.t, vdi_tensor_view(out, VDI_F64, 3, shape));
    CHECK(vdi_var_vilds_precision(c.t, VDI_VILDS_MEANFIELD, encoded, &c.vars, &c.info, &D, &E, &k,
                                  &is_mean) == VDI_OK);
    CHECK(is_mean, "the encoder gives the mean itself");
    for (int t = 0; t < 2; t++) {
        for (int i = 0; i < 2; i++)
            CHECK_CLOSE(value(&c, k)[2 * t + i], out[6 * t + i], 1e-15);
        memcpy(R, &out[6 * t + 2], sizeof R); /* lower triangular, log diagonal */
        R[0] = exp(R[0]);
        R[1] = 0;
        R[3] = exp(R[3]);
        for (int i = 0; i < 2; i++) {
            for (int j = 0; j < 2; j++) {
                CHECK_CLOSE(value(&c, D)[4 * t + 2 * i + j],
                            R[2 * i] * R[2 * j] + R[2 * i + 1] * R[2 * j + 1] + (i == j ? 1e-6 : 0),
                            1e-15);
            }
        }
    }
    for (int i = 0; i < 4 && vdi_var_ok(E); i++)
        CHECK(value(&c, E)[i] == 0, "bins are independent");
    vdi_tape_destroy(c.t);
}
