/* core/ranks, and the models that take it: shares that cover, sums that are those of one process */
#include "check.h"

TEST(ranks, shares_cover_and_are_even) {
    for (int count = 0; count <= 7; count++) {
        for (int64_t n = 0; n <= 23; n++) {
            int64_t next = 0, least = n, most = 0;
            for (int rank = 0; rank < VDI__MAX(count, 1); rank++) {
                const vdi_ranks r = {rank, count, NULL, NULL};
                int64_t from, to;
                vdi_ranks_share(&r, n, &from, &to);
                CHECK(from == next, "rank %d of %d begins at %lld", rank, count, (long long)from);
                least = VDI__MIN(least, to - from);
                most = VDI__MAX(most, to - from);
                next = to;
            }
            CHECK(next == n && most - least <= 1, "%lld things on %d", (long long)n, count);
        }
    }
}

/* What another process would have sent: the first call records, the second adds it. */
typedef struct other {
    double value[4096];
    int64_t count;
    bool add, fail;
} other;

static bool sum_with(double *values, int64_t n, void *user) {
    other *o = (other *)user;
    if (o->fail || n > (int64_t)VDI__COUNT(o->value)) return false;
    for (int64_t i = 0; i < n; i++) {
        if (o->add)
            values[i] += o->value[i];
        else
            o->value[i] = values[i];
    }
    o->count = n;
    return true;
}

TEST(ranks, what_is_refused) {
    static const vdi_ranks wrong[] = {{1, 1, NULL, NULL},
                                      {-1, 2, sum_with, NULL},
                                      {2, 2, sum_with, NULL},
                                      {0, 2, NULL, NULL},
                                      {0, -1, NULL, NULL}};
    const vdi_ranks alone = {0, 0, NULL, NULL};
    double x = 3;
    vdi_error err;
    CHECK_OK(vdi_ranks_check(&alone, &err), err);
    CHECK_OK(vdi_ranks_sum(&alone, &x, 1, &err), err);
    CHECK(x == 3, "a process alone has %g", x);
    for (size_t i = 0; i < VDI__COUNT(wrong); i++)
        CHECK(vdi_ranks_check(&wrong[i], &err) == VDI_ERR_ARGUMENT, "case %zu", i);
}

enum { TRIALS = 7, T = 9, N = 4 };

static vdi_vilds *small_model(vdi_ranks ranks, vdi_vilds_data **data) {
    static uint8_t y[TRIALS][T][N];
    static const int64_t lengths[TRIALS] = {9, 3, 9, 8, 1, 9, 5};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc seen = VDI__ZERO;
    vdi_vilds *m;
    vdi_error err;
    vdi_rng rng = vdi_rng_make(3, 0);
    for (int i = 0; i < TRIALS * T * N; i++)
        ((uint8_t *)y)[i] = (uint8_t)vdi_rng_poisson(&rng, 1.5);
    desc.d = 2;
    desc.n = N;
    desc.layers = 1;
    desc.hidden[0] = 5;
    desc.encoder_layers = 1;
    desc.encoder_hidden[0] = 6;
    desc.dtype = VDI_F64;
    desc.train.batch = 6;
    desc.train.steps = 10;
    desc.train.restarts = 1;
    desc.ranks = ranks;
    seen.y = vdi_tensor_3d(y, VDI_U8, TRIALS, T, N);
    seen.lengths = lengths;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    CHECK_OK(vdi_vilds_data_create(m, &seen, data, &err), err);
    CHECK_OK(vdi_vilds_init(m, *data, 0, &err), err);
    return m;
}

TEST(ranks, two_processes_have_the_gradient_of_one) {
    static other sent;
    vdi_error err;
    const vdi_ranks one = {0, 1, NULL, NULL}, first = {0, 2, sum_with, &sent};
    const vdi_ranks second = {1, 2, sum_with, &sent};
    vdi_vilds_data *data[3];
    vdi_vilds *m[3] = {small_model(one, &data[0]), small_model(second, &data[1]),
                       small_model(first, &data[2])};
    double loss[3];
    for (int64_t step = 0; step < 3; step++) {
        for (int k = 0; k < 3; k++) {
            sent.add = k == 2;
            CHECK_OK(vdi_vilds_loss(m[k], data[k], step, &loss[k], &err), err);
        }
        CHECK(fabs(loss[2] - loss[0]) < 1e-12, "loss %.17g, of one %.17g", loss[2], loss[0]);
        const vdi_params *a = vdi_vilds_params(m[0]), *b = vdi_vilds_params(m[2]);
        CHECK(sent.count == a->total + 1, "%lld numbers were sent", (long long)sent.count);
        for (int64_t i = 0; i < a->total; i++) {
            const double g = ((const double *)a->grads)[i], h = ((const double *)b->grads)[i];
            CHECK(fabs(g - h) <= 1e-12 * (1 + fabs(g)), "gradient %lld: %g, of one %g",
                  (long long)i, h, g);
        }
    }
    for (int k = 0; k < 3; k++) {
        vdi_vilds_data_destroy(data[k]);
        vdi_vilds_destroy(m[k]);
    }
}

TEST(ranks, a_sum_that_fails_is_an_error) {
    static other sent;
    vdi_error err;
    const vdi_ranks ranks = {0, 2, sum_with, &sent};
    vdi_vilds_data *data;
    vdi_vilds *m = small_model(ranks, &data);
    const vdi_params *p = vdi_vilds_params(m);
    double *before = (double *)malloc((size_t)p->total * sizeof *before);
    memcpy(before, p->values, (size_t)p->total * sizeof *before);
    sent.fail = true;
    CHECK(vdi_vilds_step(m, data, NULL, NULL, &err) == VDI_ERR_IO, "%s", err.message);
    CHECK(memcmp(before, p->values, (size_t)p->total * sizeof *before) == 0, "it moved");
    vdi_vilds_desc many = *vdi_vilds_description(m);
    many.ranks.count = 7;
    CHECK(vdi_vilds_desc_check(&many, &err) == VDI_ERR_ARGUMENT, "more processes than trials");
    free(before);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
}

/* ---- several processes in one: what a step adds up depends on what it has added up before, so
 * each of them runs it again and again, with what the others said last time, until all is
 * said ---- */

enum { PROCESSES = 3, SUMS = 64, NUMBERS = 2048 };

typedef struct meeting {
    double said[SUMS][PROCESSES][NUMBERS];
    int at, sums, rank;
} meeting;

static bool meet(double *values, int64_t n, void *user) {
    meeting *m = (meeting *)user;
    if (m->at >= SUMS || n > NUMBERS) return false;
    double(*said)[NUMBERS] = m->said[m->at++];
    memcpy(said[m->rank], values, (size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++) {
        values[i] = said[0][i];
        for (int r = 1; r < PROCESSES; r++)
            values[i] += said[r][i];
    }
    m->sums = VDI__MAX(m->sums, m->at);
    return true;
}

enum { LDS_TRIALS = 7, LDS_T = 12, LDS_N = 3, LDS_D = 2 };

typedef struct lds_case {
    const char *name;
    int64_t inputs, window;
    bool diagonal, missing, ragged;
} lds_case;

static vdi_lds_data *lds_data_of(const lds_case *c, const vdi_lds *lds, vdi_ranks ranks) {
    static double y[LDS_TRIALS][LDS_T][LDS_N], u[LDS_TRIALS][LDS_T];
    static const int64_t lengths[LDS_TRIALS] = {12, 12, 7, 12, 1, 7, 12};
    vdi_lds_data_desc desc = VDI__ZERO;
    vdi_lds_data *data;
    vdi_error err;
    vdi_rng rng = vdi_rng_make(5, 0);
    for (int i = 0; i < LDS_TRIALS; i++) {
        double a = vdi_rng_normal(&rng), b = vdi_rng_normal(&rng);
        for (int t = 0; t < LDS_T; t++) {
            u[i][t] = vdi_rng_normal(&rng);
            a = 0.9 * a + 0.3 * vdi_rng_normal(&rng) + 0.5 * u[i][t];
            b = 0.7 * b + 0.2 * a + 0.3 * vdi_rng_normal(&rng);
            for (int j = 0; j < LDS_N; j++) {
                const bool lost = c->missing && vdi_rng_uniform(&rng) < 0.2;
                const double value = 10 + a * j - b + 0.3 * vdi_rng_normal(&rng);
                y[i][t][j] = lost ? (double)NAN : value;
            }
        }
    }
    desc.y = vdi_tensor_3d(y, VDI_F64, LDS_TRIALS, LDS_T, LDS_N);
    if (c->inputs) desc.u = vdi_tensor_3d(u, VDI_F64, LDS_TRIALS, LDS_T, 1);
    if (c->ragged) desc.lengths = lengths;
    desc.window = c->window;
    desc.ranks = ranks;
    CHECK_OK(vdi_lds_data_create(lds, &desc, &data, &err), err);
    return data;
}

static vdi_lds *lds_of(const lds_case *c) {
    const vdi_ranks alone = {0, 1, NULL, NULL};
    vdi_lds_desc desc = VDI__ZERO;
    vdi_lds *lds;
    vdi_error err;
    desc.d = LDS_D;
    desc.n = LDS_N;
    desc.inputs = c->inputs;
    desc.diagonal_r = c->diagonal;
    CHECK_OK(vdi_lds_create(&desc, &lds, &err), err);
    vdi_lds_data *data = lds_data_of(c, lds, alone);
    CHECK_OK(vdi_lds_init(lds, data, 1, &err), err);
    vdi_lds_data_destroy(data);
    return lds;
}

/* A step of each process from `start`; the last pass leaves what it made in each. */
static void step_together(meeting *m, vdi_lds *const *lds, vdi_lds_data *const *data,
                          const double *start, double *ll) {
    vdi_error err;
    m->sums = 0;
    for (int pass = 0; pass <= m->sums; pass++) {
        for (m->rank = 0; m->rank < PROCESSES; m->rank++) {
            vdi_lds *p = lds[m->rank];
            memcpy(p->A, start, p->param_count * sizeof *start);
            m->at = 0;
            /* what it is told may be absurd yet */
            const vdi_status status = vdi_lds_em_step(p, data[m->rank], ll, &err);
            CHECK(status != VDI_ERR_IO, "%s", err.message);
        }
    }
    for (m->rank = 0; m->rank < PROCESSES; m->rank++) {
        memcpy(lds[m->rank]->A, start, lds[m->rank]->param_count * sizeof *start);
        m->at = 0;
        CHECK_OK(vdi_lds_em_step(lds[m->rank], data[m->rank], ll, &err), err);
    }
}

TEST(ranks, three_processes_have_the_em_of_one) {
    static const lds_case cases[] = {
        {"full R", 0, 0, false, false, false},
        {"diagonal R, inputs, ragged, in windows", 1, 5, true, false, true},
        {"diagonal R, missing values", 0, 0, true, true, true},
        {"full R, missing values, inputs, in windows", 1, 5, false, true, false}};
    static meeting m;
    const vdi_ranks alone = {0, 1, NULL, NULL};
    for (size_t k = 0; k < VDI__COUNT(cases); k++) {
        vdi_error err;
        vdi_lds *one = lds_of(&cases[k]), *lds[PROCESSES];
        vdi_lds_data *whole = lds_data_of(&cases[k], one, alone), *data[PROCESSES];
        double *start = (double *)malloc(one->param_count * sizeof *start);
        double ll, of_one;
        int64_t trials = 0;
        for (int r = 0; r < PROCESSES; r++) {
            const vdi_ranks ranks = {r, PROCESSES, meet, &m};
            lds[r] = lds_of(&cases[k]);
            data[r] = lds_data_of(&cases[k], lds[r], ranks);
            trials += vdi_lds_data_trials(data[r]);
        }
        CHECK(trials == LDS_TRIALS, "%s: %lld trials are shared", cases[k].name, (long long)trials);
        for (int step = 0; step < 3; step++) {
            memcpy(start, lds[0]->A, one->param_count * sizeof *start);
            CHECK_OK(vdi_lds_em_step(one, whole, &of_one, &err), err);
            step_together(&m, lds, data, start, &ll);
            CHECK(fabs(ll - of_one) <= 1e-12 * fabs(of_one), "%s, step %d: %.17g, of one %.17g",
                  cases[k].name, step, ll, of_one);
            for (size_t i = 0; i < one->param_count; i++) {
                CHECK(fabs(one->A[i] - lds[0]->A[i]) <= 1e-10 * (1 + fabs(one->A[i])),
                      "%s, step %d, number %zu: %.17g, of one %.17g", cases[k].name, step, i,
                      lds[0]->A[i], one->A[i]);
                CHECK(lds[1]->A[i] == lds[0]->A[i], "processes differ in number %zu", i);
            }
        }
        for (int r = 0; r < PROCESSES; r++) {
            vdi_lds_data_destroy(data[r]);
            vdi_lds_destroy(lds[r]);
        }
        vdi_lds_data_destroy(whole);
        vdi_lds_destroy(one);
        free(start);
    }
}

TEST(ranks, shares_of_lds_that_are_refused) {
    static const lds_case plain = {"plain", 0, 0, true, false, false};
    static other sent;
    const vdi_ranks two = {1, 2, sum_with, &sent}, many = {0, 8, sum_with, &sent};
    vdi_error err;
    vdi_lds *lds = lds_of(&plain);
    vdi_lds_data *data = lds_data_of(&plain, lds, two);
    vdi_lds_data_desc desc = VDI__ZERO;
    double y[LDS_TRIALS][2][LDS_N] = {{{0}}}, before[64];
    CHECK(vdi_lds_init(lds, data, 1, &err) == VDI_ERR_ARGUMENT, "a start from a share");
    desc.y = vdi_tensor_3d(y, VDI_F64, LDS_TRIALS, 2, LDS_N);
    desc.ranks = many;
    CHECK(vdi_lds_data_desc_check(lds, &desc, &err) == VDI_ERR_ARGUMENT, "8 processes, 7 trials");
    memcpy(before, lds->A, lds->param_count * sizeof *before);
    sent.fail = true;
    CHECK(vdi_lds_em_step(lds, data, NULL, &err) == VDI_ERR_IO, "%s", err.message);
    CHECK(memcmp(before, lds->A, lds->param_count * sizeof *before) == 0, "it moved");
    sent.fail = false;
    sent.add = true;
    memset(sent.value, 0, sizeof sent.value);
    sent.value[0] = 1;
    CHECK(vdi_ranks_agree(&two, VDI_OK, &err) == VDI_ERR_NUMERIC, "the other one failed");
    sent.value[0] = 0;
    CHECK(vdi_ranks_agree(&two, VDI_OK, &err) == VDI_OK, "nobody failed");
    CHECK(vdi_ranks_agree(&two, VDI_ERR_DATA, &err) == VDI_ERR_DATA, "this one failed");
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
}

/* ---- DeepSpike ------------------------------------------------------------------------------- */

enum { CELLS = 3, FRAMES = 60, SPIKE_STEPS = 3 };

typedef struct spiking {
    vdi_deepspike *net;
    vdi_deepspike_data *data;
} spiking;

static spiking spiking_of(vdi_deepspike_estimator estimator, vdi_ranks ranks) {
    static double f[CELLS][FRAMES], label[CELLS][FRAMES];
    vdi_deepspike_desc d = VDI__ZERO;
    vdi_deepspike_data_desc seen = VDI__ZERO;
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    vdi_error err;
    spiking s;
    vdi_rng rng = vdi_rng_make(11, 0);
    for (int i = 0; i < CELLS; i++) {
        double calcium = 0;
        for (int t = 0; t < FRAMES; t++) {
            label[i][t] = vdi_rng_bernoulli(&rng, 0.1);
            calcium = 0.9 * calcium + label[i][t];
            f[i][t] = calcium + 0.2 * vdi_rng_normal(&rng);
        }
    }
    d.generative = vdi_deepspike_calcium(&c);
    d.layers = 1;
    d.channels[0] = 2;
    d.width[0] = 3;
    d.head_width = 3;
    d.dtype = VDI_F64;
    d.train.estimator = estimator;
    d.train.steps = SPIKE_STEPS;
    d.train.samples = 4;
    d.train.batch = 5;
    d.train.dreams = 4;
    d.train.snippet = 20;
    d.ranks = ranks;
    CHECK_OK(vdi_deepspike_create(&d, &s.net, &err), err);
    seen.traces = vdi_tensor_2d(f, VDI_F64, CELLS, FRAMES);
    seen.spikes = vdi_tensor_2d(label, VDI_F64, CELLS, FRAMES);
    CHECK_OK(vdi_deepspike_data_create(s.net, &seen, &s.data, &err), err);
    return s;
}

static void spiking_end(spiking *s) {
    vdi_deepspike_data_destroy(s->data);
    vdi_deepspike_destroy(s->net);
}

/* All steps of one process. */
static void spiking_run(spiking *s, vdi_deepspike_progress *p, bool checked) {
    for (int step = 0; step < SPIKE_STEPS; step++) {
        vdi_error err;
        const vdi_status status = vdi_deepspike_step(s->net, s->data, &p[step], &err);
        if (checked) CHECK_OK(status, err);
    }
}

TEST(ranks, three_processes_have_the_deepspike_of_one) {
    static const vdi_deepspike_estimator estimators[] = {
        VDI_DEEPSPIKE_VIMCO, VDI_DEEPSPIKE_WAKE_SLEEP, VDI_DEEPSPIKE_SUPERVISED};
    static meeting m;
    for (size_t k = 0; k < VDI__COUNT(estimators); k++) {
        vdi_deepspike_progress one[SPIKE_STEPS], all[SPIKE_STEPS];
        spiking alone = spiking_of(estimators[k], (vdi_ranks){0, 1, NULL, NULL});
        spiking last;
        spiking_run(&alone, one, true);
        m.sums = 0;
        for (int pass = 0; pass <= m.sums + 1; pass++) {
            for (m.rank = PROCESSES - 1; m.rank >= 0; m.rank--) {
                last = spiking_of(estimators[k], (vdi_ranks){m.rank, PROCESSES, meet, &m});
                m.at = 0;
                spiking_run(&last, all, pass > m.sums);
                if (pass <= m.sums || m.rank > 0) spiking_end(&last);
            }
        }
        for (int step = 0; step < SPIKE_STEPS; step++) {
            CHECK(fabs(all[step].bound - one[step].bound) <= 1e-12 * fabs(one[step].bound),
                  "estimator %zu, step %d: %.17g, of one %.17g", k, step, all[step].bound,
                  one[step].bound);
        }
        const vdi_params *a = vdi_deepspike_params(alone.net), *b = vdi_deepspike_params(last.net);
        for (int64_t i = 0; i < a->total; i++) {
            const double v = ((const double *)a->values)[i], w = ((const double *)b->values)[i];
            CHECK(fabs(v - w) <= 1e-10 * (1 + fabs(v)), "parameter %lld: %.17g, of one %.17g",
                  (long long)i, w, v);
        }
        const double *t = vdi_deepspike_data_theta(alone.data, 0);
        const double *q = vdi_deepspike_data_theta(last.data, 0);
        for (int i = 0; i < 3; i++)
            CHECK_CLOSE(t[i], q[i], 1e-10);
        spiking_end(&alone);
        spiking_end(&last);
        vdi_deepspike_desc many = VDI__ZERO;
        vdi_error err;
        many.generative = vdi_deepspike_calcium(&(vdi_calcium_desc){0});
        many.train.batch = 5;
        many.ranks = (vdi_ranks){0, 6, meet, &m};
        CHECK(vdi_deepspike_desc_check(&many, &err) == VDI_ERR_ARGUMENT, "6 processes, 5 snippets");
    }
}
