/* tests/vilds.c - the bound against exact inference, gradients of the model's own code, missing and
 * ragged trials, prediction without leaks
 */
#include "lds_array.h"
#include "particle_filter.h"

/* ---- helpers --------------------------------------------------------------------------------- */

static double *numbers(int64_t n) {
    return (double *)calloc((size_t)(n > 0 ? n : 1), sizeof(double));
}

static vdi_vilds *make(const vdi_vilds_desc *desc) {
    vdi_vilds *m = NULL;
    vdi_error err = {0};
    CHECK_OK(vdi_vilds_create(desc, &m, &err), err);
    return m;
}

static vdi_vilds_data *observe(const vdi_vilds *m, double *y, int64_t trials, int64_t T,
                               const int64_t *lengths) {
    vdi_vilds_data_desc desc = VDI__ZERO;
    vdi_vilds_data *data = NULL;
    vdi_error err = {0};
    desc.y = vdi_tensor_3d(y, VDI_F64, trials, T, vdi_vilds_description(m)->n);
    desc.lengths = lengths;
    CHECK_OK(vdi_vilds_data_create(m, &desc, &data, &err), err);
    return data;
}

static void put(vdi_vilds *m, const char *name, int64_t i, double v) {
    vdi_param *p = vdi_params_find(vdi_vilds_params(m), name);
    CHECK(p != NULL, "%s", name);
    vdi_dtype_store(p->value.dtype, p->value.data, i, v);
}

static double number(vdi_vilds *m, const char *name) {
    const vdi_param *p = vdi_params_find(vdi_vilds_params(m), name);
    return vdi_dtype_load(p->value.dtype, p->value.data, 0);
}

static double *simulated(int64_t trials, int64_t T, int64_t n, unsigned long long seed) {
    double *y = numbers(trials * T * n);
    for (int64_t i = 0; i < trials * T * n; i++)
        y[i] = floor(fabs(1.2 * test_normal(&seed)));
    return y;
}

/* ---- exactness ------------------------------------------------------------------------------- */

/* An LDS with its exact posterior, from a reference. */
typedef struct lds_reference {
    vdi_tensor A, Q, C, b, R, x0, Q0, y, mean, cov, log_p;
    int64_t d, n, trials, T;
} lds_reference;

static lds_reference lds_load(const char *set) {
    static const char *const what[] = {"A",  "Q", "C",      "b",      "R",     "x0",
                                       "Q0", "y", "out_ms", "out_Ps", "out_ll"};
    lds_reference r;
    vdi_tensor *const to[] = {&r.A,  &r.Q, &r.C,    &r.b,   &r.R,    &r.x0,
                              &r.Q0, &r.y, &r.mean, &r.cov, &r.log_p};
    for (size_t i = 0; i < VDI__COUNT(what); i++)
        *to[i] = lds_array(set, what[i]);
    r.d = r.A.shape[0];
    r.n = r.C.shape[0];
    r.trials = r.y.shape[0];
    r.T = r.y.shape[1];
    return r;
}

static void lds_free(lds_reference *r) {
    vdi_tensor *const all[] = {&r->A,  &r->Q, &r->C,    &r->b,   &r->R,    &r->x0,
                               &r->Q0, &r->y, &r->mean, &r->cov, &r->log_p};
    for (size_t i = 0; i < VDI__COUNT(all); i++)
        vdi_tensor_free(NULL, all[i]);
}

static const double *state_array(vdi_vilds *m, const char *name) {
    const vdi_state *state = vdi_vilds_state(m, false);
    for (int64_t i = 0; i < state->tensor_count; i++) {
        if (!strcmp(state->tensors[i].name, name))
            return (const double *)state->tensors[i].tensor.data;
    }
    CHECK(false, "no state is called %s", name);
    return NULL;
}

/* The encoder h = C'R^{-1}(y - b), L L' = C'R^{-1}C, on counts that the model standardises. */
static void put_encoder(vdi_vilds *m, const lds_reference *r) {
    const double *C = (double *)r->C.data, *b = (double *)r->b.data, *R = (double *)r->R.data;
    const double *mean = state_array(m, "data.mean"), *sd = state_array(m, "data.sd");
    const int64_t d = r->d, n = r->n, outputs = d + d * d;
    double L[64] = {0}, h[8] = {0};
    vdi_error err = {0};
    for (int64_t i = 0; i < n * outputs; i++)
        put(m, "encoder.window", i, 0);
    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = 0; i < d; i++) {
            const double weight = C[j * d + i] / R[j * n + j];
            put(m, "encoder.window", j * outputs + i, weight * sd[j]);
            h[i] += weight * (mean[j] - b[j]);
            for (int64_t l = 0; l < d; l++)
                L[i * d + l] += C[j * d + i] * C[j * d + l] / R[j * n + j];
        }
    }
    CHECK_OK(vdi_cholesky(VDI_F64, (size_t)d, L, (size_t)d, &err), err);
    for (int64_t i = 0; i < d; i++)
        put(m, "encoder.bias", i, h[i]);
    for (int64_t i = 0; i < d * d; i++)
        put(m, "encoder.bias", d + i, L[i]);
}

static void put_lds(vdi_vilds *m, const lds_reference *r) {
    const double *C = (double *)r->C.data, *R = (double *)r->R.data;
    vdi_error err = {0};
    CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q", (double *)r->Q.data, &err), err);
    CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q0", (double *)r->Q0.data, &err), err);
    for (int64_t i = 0; i < r->d * r->d; i++)
        put(m, "prior.A", i, ((double *)r->A.data)[i]);
    for (int64_t i = 0; i < r->d; i++)
        put(m, "prior.x0", i, ((double *)r->x0.data)[i]);
    for (int64_t j = 0; j < r->n; j++) {
        put(m, "decoder.0.bias", j, ((double *)r->b.data)[j]);
        put(m, "obs.log_sd", j, 0.5 * log(R[j * r->n + j]));
        for (int64_t i = 0; i < r->d; i++)
            put(m, "decoder.0.weight", i * r->n + j, C[j * r->d + i]);
    }
}

static void exact_check(const char *set) {
    lds_reference r = lds_load(set);
    const int64_t d = r.d, T = r.T;
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_result out = VDI__ZERO;
    vdi_vilds_query q = VDI__ZERO;
    vdi_error err = {0};
    desc.d = d;
    desc.n = r.n;
    desc.obs = VDI_VILDS_GAUSSIAN;
    desc.linear = desc.encoder_linear = true;
    desc.has_reach = true;
    desc.reach = 0;
    desc.dtype = VDI_F64;
    desc.free_start = true;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, (double *)r.y.data, r.trials, T, NULL);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    put_lds(m, &r);
    put_encoder(m, &r);
    double *elbo = out.elbo = numbers(r.trials);
    double *iw = out.iw = numbers(r.trials);
    double *mean = numbers(r.trials * T * d);
    double *cov = numbers(r.trials * T * d * d);
    out.mean = mean;
    out.cov = cov;
    q.iw = 3;
    CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
    for (int64_t i = 0; i < r.trials; i++) {
        double truth = ((double *)r.log_p.data)[i];
        CHECK_CLOSE(elbo[i], truth, 1e-9 * fabs(truth));
        /* with the exact posterior every sample has the same weight */
        CHECK_CLOSE(iw[i], truth, 1e-9 * fabs(truth));
    }
    for (int64_t i = 0; i < r.trials * T * d; i++)
        CHECK_CLOSE(mean[i], ((double *)r.mean.data)[i], 1e-9);
    for (int64_t i = 0; i < r.trials * T * d * d; i++) { /* the same of each trial */
        CHECK_CLOSE(cov[i], ((double *)r.cov.data)[i % vdi_tensor_count(r.cov)], 1e-9);
    }
    free(elbo);
    free(iw);
    free(mean);
    free(cov);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    lds_free(&r);
}

/* The same model with a posterior that knows nothing: natural-gradient steps from the encoder's
 * random start and from rest, with blocks on D and E, reach the exact one, and particles that it
 * guides all have the same weight. Trials may be ragged. */
static void natural_check(const char *set, vdi_vilds_family family, bool rest) {
    enum { MOST = 16 };
    lds_reference r = lds_load(set);
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_query q = VDI__ZERO;
    vdi_vilds_result out = VDI__ZERO;
    vdi_vilds_particles few = VDI__ZERO;
    vdi_error err = {0};
    double elbo[MOST], log_p[MOST], se[MOST];
    int64_t lengths[MOST];
    CHECK(r.trials <= MOST, "%d trials", (int)r.trials);
    for (int64_t i = 0; i < r.trials; i++)
        lengths[i] = r.T;
    desc.d = r.d;
    desc.n = r.n;
    desc.obs = VDI_VILDS_GAUSSIAN;
    desc.posterior = family;
    desc.linear = true;
    desc.dtype = VDI_F64;
    desc.free_start = true;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, (double *)r.y.data, r.trials, r.T, lengths);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    put_lds(m, &r);
    out.elbo = elbo;
    q.refine = 4;
    q.rest = rest;
    CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
    few.count = 3;
    CHECK_OK(vdi_vilds_log_p(m, data, &q, &few, log_p, se, &err), err);
    for (int64_t i = 0; i < r.trials; i++) {
        const double truth = ((double *)r.log_p.data)[i];
        CHECK_CLOSE(elbo[i], truth, 1e-6 * fabs(truth));
        CHECK_CLOSE(log_p[i], truth, 1e-6 * fabs(truth));
        CHECK(se[i] < 1e-5 * fabs(truth), "the standard error is %g", se[i]);
    }
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    lds_free(&r);
}

TEST(vilds, natural_posterior_is_exact_for_gaussian_lds) {
    NEED_SHARED("data/lds/k1_y.npy");
    natural_check("k1", VDI_VILDS_DIRECT, false);
    natural_check("k2", VDI_VILDS_MEANFIELD, true);
    natural_check("k4", VDI_VILDS_DIRECT, true);
}

/* A linear read-out with Gaussian noise and the encoder of the LDS: q is the exact posterior, the
 * bound log p(y). */
TEST(vilds, exact_for_gaussian_lds) {
    NEED_SHARED("data/lds/k1_y.npy");
    exact_check("k1");
    exact_check("k2");
    exact_check("k4");
}

/* ---- gradients ------------------------------------------------------------------------------- */

/* The model's own loss through its own graph, in float64, on the model's tape: against differences
 * along random directions. */
static double loss_at(vdi_vilds *m, vdi_vilds_data *data, double *slope, const double *direction) {
    vdi_error err = {0};
    double loss = 0;
    CHECK_OK(vdi_vilds_loss(m, data, 5, &loss, &err), err);
    vdi_params *p = vdi_vilds_params(m);
    *slope = 0;
    for (int64_t i = 0; i < p->total; i++)
        *slope += ((double *)p->grads)[i] * direction[i];
    return loss;
}

static void move(vdi_vilds *m, const double *direction, double step) {
    vdi_params *p = vdi_vilds_params(m);
    for (int64_t i = 0; i < p->total; i++)
        ((double *)p->values)[i] += step * direction[i];
}

static vdi_var volatility(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask,
                          const vdi_trial_info *info, void *user) {
    (void)user;
    vdi_var phi = vdi_var_tanh(t, vdi_var_cast(t, vdi_tape_param(t, &info->params[0]), VDI_F64));
    /* z_1 ~ N(0,1), z_t ~ N(phi z_{t-1}, 0.1^2), y ~ N(0, exp z) */
    vdi_var obs =
        vdi_var_mul(t,
                    vdi_var_normal_log_prob(t, vdi_var_cast(t, y, VDI_F64), vdi_tape_scalar(t, 0),
                                            vdi_var_mul_scalar(t, z, 0.5)),
                    vdi_var_cast(t, mask, VDI_F64));
    vdi_var before = vdi_var_slice(t, z, 2, 0, 1, info->T - 1);
    vdi_var after = vdi_var_slice(t, z, 2, 1, 1, info->T - 1);
    vdi_var step =
        vdi_var_normal_log_prob(t, after, vdi_var_mul(t, before, phi), vdi_tape_scalar(t, -1));
    vdi_var r = vdi_var_add(t, vdi_var_sum_axis(t, vdi_var_sum_axis(t, obs, 3, false), 2, false),
                            vdi_var_sum_axis(t, vdi_var_sum_axis(t, step, 3, false), 2, false));
    vdi_var first = vdi_var_normal_log_prob(t, vdi_var_index(t, vdi_var_index(t, z, 3, 0), 2, 0),
                                            vdi_tape_scalar(t, 0), vdi_tape_scalar(t, 0));
    return vdi_var_add(t, r, first);
}

/* What each case has besides the shapes that gradient_desc() gives to all; with a width of bins,
 * offsets too. */
static const struct {
    const char *name;
    vdi_vilds_desc desc;
} gradient_cases[] = {
    {"as it is", {.obs = VDI_VILDS_POISSON}},
    {"direct", {.posterior = VDI_VILDS_DIRECT}},
    {"mean field", {.posterior = VDI_VILDS_MEANFIELD}},
    {"Gaussian, skip", {.obs = VDI_VILDS_GAUSSIAN, .skip = true}},
    {"generalised counts", {.obs = VDI_VILDS_COUNT, .max_count = 4}},
    {"negative binomial", {.obs = VDI_VILDS_NEGBIN}},
    {"linear", {.linear = true}},
    {"linear Gaussian", {.linear = true, .obs = VDI_VILDS_GAUSSIAN}},
    {"untied, softplus", {.untied = true, .link = VDI_VILDS_SOFTPLUS}},
    {"windows", {.train = {.window = 4}, .a0 = 0.5}},
    {"log joint", {.d = 1, .log_joint = volatility}},
    {"inputs", {.inputs = 2}},
    {"transition and inputs",
     {.bin_width = 0.3, .transition_layers = 1, .transition_hidden = {4}, .inputs = 2}},
    {"negative binomial, softplus",
     {.bin_width = 0.3, .obs = VDI_VILDS_NEGBIN, .link = VDI_VILDS_SOFTPLUS}},
    {"zero-inflated Poisson", {.obs = VDI_VILDS_ZIP}},
    {"zero-inflated Poisson, softplus",
     {.bin_width = 0.3, .obs = VDI_VILDS_ZIP, .link = VDI_VILDS_SOFTPLUS}},
    {"linear, offsets", {.bin_width = 0.3, .linear = true}},
    {"transition and windows",
     {.bin_width = 0.3,
      .transition_layers = 2,
      .transition_hidden = {3, 3},
      .train = {.window = 4},
      .a0 = 0.5}},
    {"transition, direct, linear",
     {.bin_width = 0.3,
      .transition_layers = 1,
      .transition_hidden = {4},
      .posterior = VDI_VILDS_DIRECT,
      .linear = true}},
    {"sampled KL", {.bin_width = 0.3, .train = {.sampled_kl = true}}},
    {"sampled KL, transition and inputs",
     {.bin_width = 0.3,
      .transition_layers = 1,
      .transition_hidden = {4},
      .inputs = 2,
      .train = {.sampled_kl = true}}},
};

enum { GRAD_B = 5, GRAD_T = 7, GRAD_N = 4 };

static vdi_vilds_desc gradient_desc(size_t k, const vdi_param_desc *phi) {
    vdi_vilds_desc desc = gradient_cases[k].desc;
    if (!desc.d) desc.d = 2;
    desc.n = GRAD_N;
    desc.dtype = VDI_F64;
    desc.free_start = true;
    desc.layers = 1;
    desc.hidden[0] = 5;
    desc.encoder_layers = 1;
    desc.encoder_hidden[0] = 6;
    desc.train.batch = 4;
    desc.train.samples = 2;
    desc.train.open_from = 0;
    desc.train.open_to = 1; /* the window half open */
    desc.train.steps = 10;
    desc.train.seed = 7;
    if (desc.log_joint) {
        desc.user_params = phi;
        desc.user_param_count = 1;
    }
    return desc;
}

static vdi_vilds_data *gradient_data(const vdi_vilds *m, size_t k, double *y,
                                     unsigned long long *seed) {
    static const int64_t ragged[GRAD_B] = {7, 3, 5, 7, 1};
    const vdi_vilds_desc *desc = &gradient_cases[k].desc;
    double u[GRAD_B * GRAD_T * 2], offset[GRAD_T * GRAD_N];
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds_data *data = NULL;
    vdi_error err = {0};
    for (int i = 0; i < GRAD_B * GRAD_T * 2; i++)
        u[i] = test_normal(seed);
    for (int i = 0; i < GRAD_T * GRAD_N; i++)
        offset[i] = 0.5 * test_normal(seed);
    y[9] = y[30] = k % 2 ? (double)NAN : 1;
    dd.has_offset = desc->bin_width > 0; /* the same for each trial */
    if (dd.has_offset) dd.offset = vdi_tensor_2d(offset, VDI_F64, GRAD_T, GRAD_N);
    dd.y = vdi_tensor_3d(y, VDI_F64, GRAD_B, GRAD_T, GRAD_N);
    dd.u = vdi_tensor_3d(u, VDI_F64, GRAD_B, GRAD_T, 2);
    if (desc->posterior != VDI_VILDS_MEANFIELD) dd.lengths = ragged;
    CHECK_OK(vdi_vilds_data_create(m, &dd, &data, &err), err);
    return data;
}

/* The slope along a direction against five-point differences, and the remainder of Taylor. */
static void slope_check(vdi_vilds *m, vdi_vilds_data *data, const double *direction,
                        const char *name) {
    double slope, ignored, h = 1e-3, f[4], r[2];
    const double f0 = loss_at(m, data, &slope, direction);
    CHECK(loss_at(m, data, &ignored, direction) == f0 && ignored == slope, "two runs differ");
    for (int i = 0; i < 4; i++) {
        double step = h * (i < 2 ? i - 2 : i - 1);
        move(m, direction, step);
        f[i] = loss_at(m, data, &ignored, direction);
        move(m, direction, -step);
    }
    double numeric = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
    CHECK(fabs(numeric - slope) <= 1e-6 * (1 + fabs(slope)), "%s: slope %.12g, differences %.12g",
          name, slope, numeric);
    r[0] = fabs(f[3] - f0 - 2 * h * slope);
    r[1] = fabs(f[2] - f0 - h * slope);
    CHECK(r[1] < 1e-12 || log2(r[0] / r[1]) >= 1.9, "%s: Taylor slope %g", name, log2(r[0] / r[1]));
}

/* Adds `scale` times normal numbers to `to` at the place of every parameter, without the gaps
 * between them; A and Q stay if they are `fixed`. */
static void add_normals(vdi_params *p, double *to, double scale, bool fixed,
                        unsigned long long *seed) {
    for (int64_t i = 0; i < p->count; i++) {
        const char *name = p->item[i].name;
        const int64_t first = (double *)p->item[i].value.data - (double *)p->values;
        if (fixed && (!strcmp(name, "prior.A") || !strcmp(name, "prior.Q"))) continue;
        for (int64_t c = 0; c < vdi_tensor_count(p->item[i].value); c++)
            to[first + c] += scale * test_normal(seed);
    }
}

TEST(vilds, gradients) {
    double *y = simulated(GRAD_B, GRAD_T, GRAD_N, 3);
    const vdi_param_desc phi = vdi_param_1d("phi", VDI_INIT_CONSTANT, 0.5, 1);
    for (size_t k = 0; k < VDI__COUNT(gradient_cases); k++) {
        const vdi_vilds_desc desc = gradient_desc(k, &phi);
        vdi_error err = {0};
        unsigned long long seed = 11;
        vdi_vilds *m = make(&desc);
        vdi_vilds_data *data = gradient_data(m, k, y, &seed);
        CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
        vdi_params *p = vdi_vilds_params(m);
        double *direction = numbers(p->total);
        /* away from symmetric starts */
        add_normals(p, (double *)p->values, 0.1, false, &seed);
        for (int trial = 0; trial < 3; trial++) {
            memset(direction, 0, (size_t)p->total * sizeof *direction);
            /* the stationary distribution that windows begin with is a constant to the gradient */
            add_normals(p, direction, 1, desc.train.window > 0, &seed);
            slope_check(m, data, direction, gradient_cases[k].name);
        }
        free(direction);
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
    }
    free(y);
}

/* ---- the bound by samples, and trials of all kinds ------------------------------------------- */

/* The losses of training with log p(z) from the samples, and in closed form, differ by noise
 * alone. */
TEST(vilds, sampled_kl_is_unbiased) {
    NEED_NATIVE();
    enum { B = 3, T = 6, N = 3 };
    double *y = simulated(B, T, N, 6), loss[2], sum = 0, squares = 0;
    vdi_vilds *m[2];
    vdi_vilds_data *data[2];
    vdi_error err = {0};
    const int64_t lengths[B] = {6, 3, 1}, draws = 4000;
    for (int k = 0; k < 2; k++) {
        vdi_vilds_desc desc = VDI__ZERO;
        desc.d = 2;
        desc.n = N;
        desc.dtype = VDI_F64;
        desc.layers = 1;
        desc.hidden[0] = 5;
        desc.train.no_masking = true;
        desc.train.open_to = 1e-9;
        desc.train.sampled_kl = k == 1;
        m[k] = make(&desc);
        data[k] = observe(m[k], y, B, T, lengths);
        CHECK_OK(vdi_vilds_init(m[k], data[k], 0, &err), err);
    }
    for (int64_t i = 0; i < draws; i++) {
        for (int k = 0; k < 2; k++)
            CHECK_OK(vdi_vilds_loss(m[k], data[k], i, &loss[k], &err), err);
        sum += loss[1] - loss[0];
        squares += (loss[1] - loss[0]) * (loss[1] - loss[0]);
    }
    double mean = sum / (double)draws;
    double se = sqrt((squares / (double)draws - mean * mean) / (double)draws);
    CHECK(se > 1e-6 && se < 0.1 && fabs(mean) <= 4 * se, "%d losses differ by %.6f +- %.6f",
          (int)draws, mean, se);
    for (int k = 0; k < 2; k++) {
        vdi_vilds_data_destroy(data[k]);
        vdi_vilds_destroy(m[k]);
    }
    free(y);
}

/* With a linear read-out the mean of many sampled bounds is the closed form. */
TEST(vilds, sampled_bound_is_unbiased) {
    enum { B = 2, T = 6, N = 3 };
    for (int obs = 0; obs < 2; obs++) {
        double *y = simulated(B, T, N, 5), closed[B], sum[B] = {0}, squares[B] = {0};
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_error err = {0};
        desc.d = 2;
        desc.n = N;
        desc.dtype = VDI_F64;
        desc.obs = obs ? VDI_VILDS_GAUSSIAN : VDI_VILDS_POISSON;
        desc.linear = true;
        vdi_vilds *m = make(&desc);
        vdi_vilds_data *data = observe(m, y, B, T, NULL);
        CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
        vdi_vilds_result out = VDI__ZERO;
        out.elbo = closed;
        CHECK_OK(vdi_vilds_infer(m, data, NULL, &out, &err), err);
        /* an importance-weighted bound of one sample is the sampled bound: log p(y,z) - log q(z) */
        int64_t draws = (int64_t)test_scaled(10000);
        double iw[B];
        out.iw = iw;
        for (int64_t i = 0; i < draws; i++) {
            vdi_vilds_query q = VDI__ZERO;
            q.iw = 1;
            q.seed = (uint64_t)i;
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
            for (int b = 0; b < B; b++) {
                sum[b] += iw[b];
                squares[b] += iw[b] * iw[b];
            }
        }
        for (int b = 0; b < B; b++) {
            double mean = sum[b] / (double)draws;
            double se = sqrt((squares[b] / (double)draws - mean * mean) / (double)draws);
            CHECK(fabs(mean - closed[b]) <= 4 * se,
                  "trial %d: mean of %d draws %.6f +- %.6f, closed form %.6f", b, (int)draws, mean,
                  se, closed[b]);
        }
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
        free(y);
    }
}

/* A ragged, masked batch gives each trial what it gives alone; what lies behind its end and under
 * its mask is not read. */
TEST(vilds, ragged_and_missing) {
    enum { B = 6, T = 9, N = 5 };
    const int64_t lengths[B] = {9, 4, 1, 7, 9, 2};
    for (int k = 0; k < 3; k++) {
        double *y = simulated(B, T, N, 8), elbo[2][B], mean[2][B * T * 2], rate[2][B * T * N];
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_error err = {0};
        desc.d = 2;
        desc.n = N;
        desc.dtype = VDI_F64;
        desc.posterior = (vdi_vilds_family)k;
        vdi_vilds *m = make(&desc);
        for (int i = 0; i < N; i++)
            y[(3 * T + 2) * N + i] = NAN; /* a bin without any value */
        y[7] = y[T * N + 3] = NAN;
        for (int pass = 0; pass < 2; pass++) {
            vdi_vilds_data *data = observe(m, y, B, T, lengths);
            if (!pass) CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
            vdi_vilds_result out = VDI__ZERO;
            vdi_vilds_query q = VDI__ZERO;
            out.elbo = elbo[pass];
            out.mean = mean[pass];
            out.rate = rate[pass];
            q.refine = k ? 0 : 3;
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
            vdi_vilds_data_destroy(data);
            for (int b = 0; b < B; b++) {
                /* never read */
                for (int64_t i = lengths[b] * N; i < T * N; i++)
                    y[b * T * N + i] = 77;
            }
        }
        CHECK(!memcmp(elbo[0], elbo[1], sizeof elbo[0]) &&
                  !memcmp(mean[0], mean[1], sizeof mean[0]) &&
                  !memcmp(rate[0], rate[1], sizeof rate[0]),
              "what lies behind the ends of trials changes posterior %d", k);
        double many[B];
        vdi_vilds_data *batch = observe(m, y, B, T, lengths);
        vdi_vilds_result sampled = VDI__ZERO;
        vdi_vilds_query thorough = VDI__ZERO;
        sampled.elbo = many;
        thorough.refine = k ? 0 : 3;
        thorough.samples = 4000;
        CHECK_OK(vdi_vilds_infer(m, batch, &thorough, &sampled, &err), err);
        vdi_vilds_data_destroy(batch);
        for (int b = 0; b < B; b++) {
            double alone, moments[T * 2];
            vdi_vilds_result out = VDI__ZERO;
            vdi_vilds_data *data = observe(m, y + b * T * N, 1, lengths[b], NULL);
            out.mean = moments;
            vdi_vilds_query q = VDI__ZERO;
            q.refine = k ? 0 : 3;
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
            for (int64_t i = 0; i < lengths[b] * 2; i++)
                CHECK_CLOSE(moments[i], mean[0][b * T * 2 + i], 1e-9);
            alone = 0;
            out.mean = NULL;
            out.elbo = &alone;
            q.samples = 4000; /* its samples are another trial's; so in the mean of as many */
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
            CHECK_CLOSE(alone, many[b], 0.1);
            vdi_vilds_data_destroy(data);
        }
        vdi_vilds_destroy(m);
        free(y);
    }
}

/* ---- prediction ------------------------------------------------------------------------------ */

/* Other counts in what is predicted change no prediction by a bit. */
TEST(vilds, prediction_has_no_leak) {
    enum { B = 2, T = 8, N = 4 };
    double *y = simulated(B, T, N, 12), before[B * T * N], after[B * T * N];
    for (int k = 0; k < 3; k++) {
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_error err = {0};
        vdi_vilds_query q = VDI__ZERO;
        desc.d = 2;
        desc.n = N;
        desc.posterior = (vdi_vilds_family)k;
        vdi_vilds *m = make(&desc);
        q.nodes = 5;
        for (int refine = 0; refine < (k ? 1 : 2); refine++) {
            q.refine = refine * 3;
            vdi_vilds_data *data = observe(m, y, B, T, NULL);
            CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
            for (int what = 0; what < 2; what++) {
                CHECK_OK(
                    vdi_vilds_predict(m, data, (vdi_vilds_prediction)what, &q, NULL, before, &err),
                    err);
                for (int cut = 0; cut < (what ? T : N); cut++) {
                    double other[B * T * N];
                    unsigned long long seed = 99;
                    memcpy(other, y, sizeof other);
                    for (int i = 0; i < B * T * N; i++) {
                        if (what ? i / N % T >= cut : i % N == cut)
                            other[i] = floor(fabs(3 * test_normal(&seed)));
                    }
                    vdi_vilds_data *changed = observe(m, other, B, T, NULL);
                    CHECK_OK(vdi_vilds_predict(m, changed, (vdi_vilds_prediction)what, &q, NULL,
                                               after, &err),
                             err);
                    for (int i = 0; i < B * T * N; i++) {
                        if (what ? i / N % T == cut : i % N == cut) {
                            CHECK(before[i] == after[i],
                                  "posterior %d, %s: prediction %d changes from %.17g to %.17g", k,
                                  what ? "one step" : "leave one out", i, before[i], after[i]);
                        }
                    }
                    vdi_vilds_data_destroy(changed);
                }
            }
            vdi_vilds_data_destroy(data);
        }
        vdi_vilds_destroy(m);
    }
    free(y);
}

/* ---- training -------------------------------------------------------------------------------- */

static int64_t copied(const vdi_state *s, char *to, bool write) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->tensor_count; i++) {
        size_t bytes = vdi_tensor_bytes(s->tensors[i].tensor);
        if (write && to)
            memcpy(s->tensors[i].tensor.data, to + n, bytes);
        else if (to)
            memcpy(to + n, s->tensors[i].tensor.data, bytes);
        n += (int64_t)bytes;
    }
    return n;
}

/* A run that is written away after `cut` of its 70 steps goes on to the bit. */
static void goes_on(int cut) {
    enum { B = 10, T = 12, N = 5, STEPS = 70 };
    double *y = simulated(B, T, N, 21);
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_error err = {0};
    desc.d = 2;
    desc.n = N;
    desc.train.restarts = 2;
    desc.train.restart_steps = 15;
    desc.train.steps = 30;
    desc.train.encoder_steps = 10;
    desc.train.batch = 4;
    desc.train.eval_every = 5;
    desc.train.seed = 3;
    vdi_vilds *m[2];
    vdi_vilds_data *data[2], *validation[2];
    char *state[2] = {NULL, NULL};
    int64_t bytes = 0;
    for (int k = 0; k < 2; k++) {
        m[k] = make(&desc);
        data[k] = observe(m[k], y, B - 3, T, NULL);
        validation[k] = observe(m[k], y + (B - 3) * T * N, 3, T, NULL);
    }
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < (half ? STEPS - cut : cut); i++)
            CHECK_OK(vdi_vilds_step(m[half], data[half], validation[half], NULL, &err), err);
        if (!half) {
            bytes = copied(vdi_vilds_state(m[0], true), NULL, false);
            state[0] = (char *)malloc((size_t)bytes);
            state[1] = (char *)malloc((size_t)bytes);
            (void)copied(vdi_vilds_state(m[0], true), state[0], false);
            (void)copied(vdi_vilds_state(m[1], true), state[0], true);
        }
    }
    for (int i = cut; i < STEPS; i++)
        CHECK_OK(vdi_vilds_step(m[0], data[0], validation[0], NULL, &err), err);
    for (int k = 0; k < 2; k++) {
        CHECK(vdi_vilds_step(m[k], data[k], validation[k], NULL, &err) == VDI_END,
              "the schedule goes on");
        (void)copied(vdi_vilds_state(m[k], true), state[k], false);
        vdi_vilds_data_destroy(data[k]);
        vdi_vilds_data_destroy(validation[k]);
        vdi_vilds_destroy(m[k]);
    }
    CHECK(!memcmp(state[0], state[1], (size_t)bytes), "the run taken up after %d steps differs",
          cut);
    free(state[0]);
    free(state[1]);
    free(y);
}

/* Restarts, validation, steps of the encoder alone and all. */
TEST(vilds, training_goes_on_to_the_bit) {
    goes_on(37);
    goes_on(60);
    goes_on(64);
}

/* Absurd rates: steps are undone, nothing ever leaves the finite numbers. */
TEST(vilds, never_nan) {
    enum { B = 6, T = 10, N = 4 };
    double *y = simulated(B, T, N, 31);
    for (int i = 0; i < B * T * N; i += 7)
        y[i] = 100000;
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_error err = {0};
    desc.d = 3;
    desc.n = N;
    desc.train.rate = 9;
    desc.train.steps = 60;
    desc.train.warmup = 1;
    desc.train.clip_norm = 1e9;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, T, NULL);
    vdi_status status = vdi_vilds_fit(m, data, NULL, NULL, NULL, &err);
    CHECK(status == VDI_OK || status == VDI_ERR_NUMERIC, "%s: %s", vdi_status_name(status),
          err.message);
    vdi_params *p = vdi_vilds_params(m);
    CHECK(vdi_count_nonfinite(VDI_F32, (size_t)p->total, p->values) == 0,
          "a parameter is not finite");
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    free(y);
}

/* Refinement never lowers a trial's bound, and ends where the gradient of the bound in q is 0: PLDS
 * against the best Gaussian of model/plds/plds.h. */
TEST(vilds, refinement_finds_the_best_gaussian) {
    enum { B = 4, T = 15, N = 6, D = 2 };
    double *y = simulated(B, T, N, 41), best[B], elbo[B], last[B];
    vdi_error err = {0};
    vdi_plds_desc pd = VDI__ZERO;
    vdi_plds *plds = NULL;
    vdi_plds_data_desc pdd = VDI__ZERO;
    vdi_plds_data *counts = NULL;
    pd.d = D;
    pd.n = N;
    pdd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
    CHECK_OK(vdi_plds_create(&pd, &plds, &err), err);
    CHECK_OK(vdi_plds_data_create(plds, &pdd, &counts, &err), err);
    unsigned long long seed = 5;
    for (int i = 0; i < N * D; i++)
        plds->C[i] = 0.6 * test_normal(&seed);
    CHECK_OK(vdi_plds_elbo(plds, counts, best, NULL, &err), err);
    vdi_vilds_desc desc = VDI__ZERO;
    desc.d = D;
    desc.n = N;
    desc.linear = true;
    desc.dtype = VDI_F64;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, T, NULL);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    CHECK_OK(vdi_flds_from_plds(m, plds, &err), err);
    vdi_vilds_result out = VDI__ZERO;
    vdi_vilds_query q = VDI__ZERO;
    out.elbo = elbo;
    for (int steps = 0; steps <= 40; steps += 4) {
        q.refine = steps;
        CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
        for (int b = 0; b < B; b++) {
            CHECK(steps == 0 || elbo[b] >= last[b] - 1e-5, "trial %d falls from %.9g to %.9g", b,
                  last[b], elbo[b]);
            CHECK(elbo[b] <= best[b] + 1e-9, "above the best");
            last[b] = elbo[b];
        }
    }
    for (int b = 0; b < B; b++)
        CHECK_CLOSE(last[b], best[b], 1e-3);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    vdi_plds_data_destroy(counts);
    vdi_plds_destroy(plds);
    free(y);
}

/* ---- a log joint of one's own ---------------------------------------------------------------- */

/* The model of volatility(), with phi = tanh(1.5). */
static double volatility_mean(double z) { return tanh(1.5) * z; }
static double volatility_log_p(const double *y, double z) {
    return -0.5 * (y[0] * y[0] * exp(-z) + z + VDI_LOG_2PI);
}

TEST(vilds, log_joint_against_a_particle_filter) {
    NEED_NATIVE();
    enum { B = 30, T = 40 };
    const filter_model model = {volatility_mean, exp(-1), volatility_log_p, 1};
    double y[B * T], elbo[2][B], iw[B], log_p[B], se[B], z = 0, filtered = 0;
    vdi_rng rng = vdi_rng_make(5, 0);
    for (int i = 0; i < B * T; i++) {
        z = i % T ? model.mean(z) + model.sd * vdi_rng_normal(&rng) : vdi_rng_normal(&rng);
        y[i] = exp(0.5 * z) * vdi_rng_normal(&rng);
    }
    for (int b = 0; b < B; b++) {
        filtered +=
            particle_filter(&model, y + b * T, T, 4000, vdi_rng_make((uint64_t)b, 0)) / (B * T);
    }
    for (int k = 0; k < 3; k++) {
        vdi_param_desc p = vdi_param_1d("phi", VDI_INIT_CONSTANT, 1.5, 1);
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_error err = {0};
        p.frozen = true;
        desc.d = desc.n = 1;
        desc.obs = VDI_VILDS_GAUSSIAN;
        desc.dtype = VDI_F64;
        desc.log_joint = volatility;
        desc.user_params = &p;
        desc.user_param_count = 1;
        desc.posterior = (vdi_vilds_family)k;
        desc.a0 = 0.9;
        desc.train.steps = 300;
        desc.train.batch = 15;
        desc.train.no_masking = true;
        vdi_vilds *m = make(&desc);
        vdi_vilds_data *data = observe(m, y, B, T, NULL);
        CHECK_OK(vdi_vilds_fit(m, data, NULL, NULL, NULL, &err), err);
        for (int pass = 0; pass < 2; pass++) {
            vdi_vilds_result out = VDI__ZERO;
            vdi_vilds_query q = VDI__ZERO;
            vdi_vilds_particles few = VDI__ZERO;
            out.elbo = elbo[pass];
            q.samples = 200;
            if (pass) {
                out.iw = iw;
                q.iw = 200;
                q.refine = 10;
                few.count = 100;
                CHECK_OK(vdi_vilds_log_p(m, data, &q, &few, log_p, se, &err), err);
            }
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
        }
        double amortised = 0, refined = 0, weighted = 0, twisted = 0, error = 0;
        for (int b = 0; b < B; b++) {
            CHECK(elbo[1][b] >= elbo[0][b], "trial %d: refined to %g from %g", b, elbo[1][b],
                  elbo[0][b]);
            twisted += log_p[b] / (B * T);
            error += se[b] * se[b];
            amortised += elbo[0][b] / (B * T);
            refined += elbo[1][b] / (B * T);
            weighted += iw[b] / (B * T);
        }
        CHECK(amortised < filtered && (k || amortised > filtered - 0.03),
              "posterior %d: ELBO %.4f, particle filter %.4f", k, amortised, filtered);
        CHECK(refined > filtered - 1e-3 && refined < filtered + 1e-3,
              "posterior %d: refined %.5f from %.4f, particle filter %.5f", k, refined, amortised,
              filtered);
        error = sqrt(error) / (B * T);
        CHECK(fabs(twisted - filtered) < 1e-3 && error < 2e-4,
              "posterior %d: twisted filter %.5f, error %.5f; particle filter %.5f", k, twisted,
              error, filtered);
        CHECK(weighted > refined - 2e-4 && weighted < filtered + 1e-3,
              "posterior %d: importance-weighted %.4f, refined %.4f, particle filter %.4f", k,
              weighted, refined, filtered);
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
    }
}

/* Variational EM learns phi from trials of which every fifth bin is missing: a bin without a value
 * is no end of a trial. The posteriors stay with the data; other trials are inferred from rest, and
 * Laplace's posterior has a lower bound. */
static bool count_steps(const vdi_vilds_progress *p, void *user) {
    *(int64_t *)user += 1;
    return p->step < p->steps;
}
static vdi_var gappy(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask, const vdi_trial_info *info,
                     void *user) {
    const int64_t last = info->T - 1;
    (void)user;
    vdi_var phi = vdi_var_tanh(t, vdi_trial_param(t, info, 0)), zero = vdi_tape_scalar(t, 0);
    vdi_var sd = vdi_var_mul_scalar(t, z, 0.5), inside = vdi_trial_mask(t, info);
    vdi_var seen = vdi_var_mul(t, vdi_var_normal_log_prob(t, y, zero, sd), mask);
    vdi_var move = vdi_var_normal_log_prob(t, vdi_var_slice(t, z, 2, 1, 1, last),
                                           vdi_var_mul(t, vdi_var_slice(t, z, 2, 0, 1, last), phi),
                                           vdi_tape_scalar(t, -1));
    move = vdi_var_mul(t, move, vdi_var_slice(t, inside, 1, 1, 1, last));
    vdi_var first = vdi_var_normal_log_prob(t, vdi_var_slice(t, z, 2, 0, 1, 1), zero, zero);
    vdi_var parts[3] = {seen, move, first};
    for (int k = 0; k < 3; k++)
        parts[k] = vdi_var_sum_axis(t, vdi_var_sum_axis(t, parts[k], 3, false), 2, false);
    return vdi_var_add(t, vdi_var_add(t, parts[0], parts[1]), parts[2]);
}

TEST(vilds, natural_fit_learns_through_gaps) {
    NEED_NATIVE();
    enum { B = 30, T = 100 };
    double *y = numbers(2 * B * T), z = 0, kept, rest, laplace;
    int64_t lengths[B], steps = 0;
    vdi_rng rng = vdi_rng_make(8, 0);
    vdi_param_desc p = vdi_param_1d("phi", VDI_INIT_CONSTANT, 0.5, 1);
    vdi_vilds_natural how = VDI__ZERO;
    vdi_vilds_query q = VDI__ZERO;
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_error err = {0};
    for (int i = 0; i < 2 * B * T; i++) {
        z = i % T ? tanh(1.5) * z + exp(-1) * vdi_rng_normal(&rng) : vdi_rng_normal(&rng);
        y[i] = i % 5 == 2 ? (double)NAN : exp(0.5 * z) * vdi_rng_normal(&rng);
    }
    for (int i = 0; i < B; i++)
        lengths[i] = T - i % 3;
    desc.d = desc.n = 1;
    desc.log_joint = gappy;
    desc.user_params = &p;
    desc.user_param_count = 1;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, T, lengths), *other = observe(m, y + B * T, B, T, NULL);
    how.steps = 150;
    CHECK(vdi_vilds_fit_natural(m, data, &how, count_steps, &steps, &err) == VDI_STOPPED, "%s",
          err.message);
    CHECK(steps == how.steps, "%d steps", (int)steps);
    const double phi = tanh(number(m, "phi"));
    CHECK(fabs(phi - tanh(1.5)) < 0.03, "phi is %.3f, true %.3f", phi, tanh(1.5));
    CHECK_OK(vdi_vilds_score(m, data, NULL, &kept, &err), err);
    q.rest = true;
    q.refine = 20;
    CHECK_OK(vdi_vilds_score(m, data, &q, &rest, &err), err);
    CHECK_CLOSE(kept, rest, 2e-3);
    CHECK_OK(vdi_vilds_score(m, other, NULL, &rest, &err), err);
    CHECK_CLOSE(kept, rest, 0.1);
    q.laplace = true;
    CHECK_OK(vdi_vilds_score(m, other, &q, &laplace, &err), err);
    CHECK(laplace < rest && laplace > rest - 0.05, "Laplace %.4f, bound %.4f", laplace, rest);
    how.rate = -1;
    CHECK_FAILS(vdi_vilds_fit_natural(m, data, &how, NULL, NULL, &err), VDI_ERR_ARGUMENT);
    vdi_vilds_data_destroy(data);
    vdi_vilds_data_destroy(other);
    vdi_vilds_destroy(m);
    free(y);
}

/* z_t = tanh(p0) z_{t-1} + exp(p1) n_t seen through Student's t, scale exp(p2), exp(p3) degrees of
 * freedom. */
static vdi_var outliers(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask, const vdi_trial_info *info,
                        void *user) {
    const int64_t last = info->T - 1;
    (void)user;
    vdi_var a = vdi_var_tanh(t, vdi_trial_param(t, info, 0)), zero = vdi_tape_scalar(t, 0);
    vdi_var seen = vdi_var_student_t_log_prob(t, y, z, vdi_trial_param(t, info, 2),
                                              vdi_trial_param(t, info, 3));
    vdi_var move = vdi_var_normal_log_prob(t, vdi_var_slice(t, z, 2, 1, 1, last),
                                           vdi_var_mul(t, vdi_var_slice(t, z, 2, 0, 1, last), a),
                                           vdi_trial_param(t, info, 1));
    vdi_var first = vdi_var_normal_log_prob(t, vdi_var_slice(t, z, 2, 0, 1, 1), zero, zero);
    vdi_var parts[3] = {vdi_var_mul(t, seen, mask), move, first};
    for (int k = 0; k < 3; k++)
        parts[k] = vdi_var_sum_axis(t, vdi_var_sum_axis(t, parts[k], 3, false), 2, false);
    return vdi_var_add(t, vdi_var_add(t, parts[0], parts[1]), parts[2]);
}

enum { OUT_TRIALS = 8, OUT_BINS = 300, OUT_PARAMS = 4 };
static const char *const outlier_param[OUT_PARAMS] = {"a", "s", "w", "nu"};
static const double outlier_truth[OUT_PARAMS] = {1.83, -1.2, -0.92, 1.1};

/* (OUT_TRIALS,OUT_BINS) */
static double *outlier_data(void) {
    double *y = numbers(OUT_TRIALS * OUT_BINS), z = 0;
    vdi_rng rng = vdi_rng_make(11, 0);
    for (int i = 0; i < OUT_TRIALS * OUT_BINS; i++) {
        const double step = i % OUT_BINS ? exp(outlier_truth[1]) : 1;
        z = (i % OUT_BINS ? tanh(outlier_truth[0]) * z : 0) + step * vdi_rng_normal(&rng);
        const double n = vdi_rng_normal(&rng);
        y[i] = z + exp(outlier_truth[2]) * n / sqrt(2 * vdi_rng_gamma(&rng, 1.5) / 3);
    }
    return y;
}

static vdi_vilds *outlier_model(const double *start) {
    vdi_param_desc p[OUT_PARAMS];
    vdi_vilds_desc desc = VDI__ZERO;
    for (int i = 0; i < OUT_PARAMS; i++)
        p[i] = vdi_param_1d(outlier_param[i], VDI_INIT_CONSTANT, start[i], 1);
    desc.d = desc.n = 1;
    desc.log_joint = outliers;
    desc.user_params = p;
    desc.user_param_count = OUT_PARAMS;
    return make(&desc);
}

/* Few samples and a likelihood that is not log-concave: learning ends at the same parameters from
 * two starts, at a bound no lower than that of the true ones. */
TEST(vilds, natural_fit_does_not_depend_on_its_start) {
    NEED_NATIVE();
    static const double start[2][OUT_PARAMS] = {{1, -1, -0.5, 2}, {1.83, -1.2, -0.92, 1.1}};
    double *y = outlier_data(), learned[2][OUT_PARAMS], bound[2], truth = 0;
    vdi_vilds_natural how = VDI__ZERO;
    vdi_vilds_query q = VDI__ZERO;
    vdi_error err = {0};
    q.rest = true;
    q.refine = 16;
    how.steps = 300;
    how.samples = 4;
    how.rate = 0.1;
    for (int k = 0; k < 2; k++) {
        vdi_vilds *m = outlier_model(start[k]);
        vdi_vilds_data *data = observe(m, y, OUT_TRIALS, OUT_BINS, NULL);
        if (k == 1) CHECK_OK(vdi_vilds_score(m, data, &q, &truth, &err), err);
        CHECK_OK(vdi_vilds_fit_natural(m, data, &how, NULL, NULL, &err), err);
        CHECK_OK(vdi_vilds_score(m, data, &q, &bound[k], &err), err);
        for (int i = 0; i < OUT_PARAMS; i++)
            learned[k][i] = number(m, outlier_param[i]);
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
    }
    for (int i = 0; i < OUT_PARAMS; i++)
        CHECK(fabs(learned[0][i] - learned[1][i]) < 0.03, "%s: %.3f and %.3f", outlier_param[i],
              learned[0][i], learned[1][i]);
    CHECK(bound[0] > truth - 2e-4, "bound %.5f, at the true parameters %.5f", bound[0], truth);
    free(y);
}

/* z_t ~ N(0, exp(p0)^2) of every bin, y_t = z_t + 0.3 times a Cauchy variable. */
static vdi_var cauchy(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask, const vdi_trial_info *info,
                      void *user) {
    vdi_var zero = vdi_tape_scalar(t, 0), scale = vdi_tape_scalar(t, log(0.3));
    (void)user;
    vdi_var seen = vdi_var_mul(t, vdi_var_student_t_log_prob(t, y, z, scale, zero), mask);
    vdi_var prior = vdi_var_normal_log_prob(t, z, zero, vdi_trial_param(t, info, 0));
    vdi_var sum = vdi_var_add(t, seen, vdi_var_mul(t, prior, vdi_trial_mask(t, info)));
    return vdi_var_sum_axis(t, vdi_var_sum_axis(t, sum, 3, false), 2, false);
}

/* Its log p(y) by the trapezoidal rule. */
static double cauchy_log_p(const double *y, int count, double log_s) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
        double p = 0;
        for (int k = -100; k <= 100; k++) {
            const double x = 0.08 * k, e = (y[i] - exp(log_s) * x) / 0.3;
            p += 0.08 * exp(-0.5 * (x * x + VDI_LOG_2PI)) / (VDI_PI * 0.3 * (1 + e * e));
        }
        sum += log(p);
    }
    return sum;
}

/* Where posteriors have two modes, the bound is highest at other parameters than log p(y); steps
 * along the gradient that particles give more than halve what is missing. */
TEST(vilds, particles_come_nearer_to_the_most_likely_parameters) {
    NEED_NATIVE();
    enum { B = 4, T = 400 };
    double *y = numbers(B * T), best = -0.5, top = -HUGE_VAL, by_bound;
    vdi_rng rng = vdi_rng_make(12, 0);
    vdi_param_desc p = vdi_param_1d("s", VDI_INIT_CONSTANT, 0.3, 1);
    vdi_vilds_natural how = VDI__ZERO;
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_error err = {0};
    for (int i = 0; i < B * T; i++)
        y[i] = vdi_rng_normal(&rng) + 0.3 * tan(VDI_PI * (vdi_rng_uniform(&rng) - 0.5));
    for (int k = -50; k <= 50; k++) {
        const double value = cauchy_log_p(y, B * T, 0.01 * k);
        if (value > top) best = 0.01 * k;
        top = fmax(top, value);
    }
    desc.d = desc.n = 1;
    desc.log_joint = cauchy;
    desc.user_params = &p;
    desc.user_param_count = 1;
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, T, NULL);
    how.steps = 100;
    how.rate = 0.1;
    CHECK_OK(vdi_vilds_fit_natural(m, data, &how, NULL, NULL, &err), err);
    by_bound = number(m, "s");
    how.steps = 30;
    how.particles = 60;
    CHECK_OK(vdi_vilds_fit_natural(m, data, &how, NULL, NULL, &err), err);
    const double missed = fabs(by_bound - best), left = fabs(number(m, "s") - best);
    CHECK(missed > 0.08, "by bound %.3f, the most likely %.3f", by_bound, best);
    CHECK(left < 0.5 * missed, "log s is %.3f, the most likely %.3f, by bound %.3f", number(m, "s"),
          best, by_bound);
    how.particles = -1;
    CHECK_FAILS(vdi_vilds_fit_natural(m, data, &how, NULL, NULL, &err), VDI_ERR_ARGUMENT);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    free(y);
}

/* Variance over mean of neuron j's counts where their mean is `mean`; 1 for Poisson. */
static double dispersion(const vdi_param *g, int64_t j, double mean) {
    int64_t K = g->value.shape[1] + 1;
    double low = -10;
    double high = 5;
    double first = 0;
    double second = 0;
    for (int i = 0; i < 60; i++) {
        double eta = 0.5 * (low + high), sum = 0;
        first = second = 0;
        for (int64_t k = 0; k <= K; k++) {
            double p = exp(
                eta * (double)k - lgamma((double)k + 1) +
                (k < 2 ? 0 : vdi_dtype_load(g->value.dtype, g->value.data, j * (K - 1) + k - 2)));
            sum += p;
            first += p * (double)k;
            second += p * (double)(k * k);
        }
        first /= sum;
        second /= sum;
        if (first < mean)
            low = eta;
        else
            high = eta;
    }
    return (second - first * first) / first;
}

/* Counts that scatter less or more than Poisson ones: the generalised count model beats the Poisson
   one on trials that it has not seen, and knows which way nearly every neuron scatters. */
TEST(vilds, generalised_counts) {
    NEED_NATIVE();
    enum { B = 60, T = 40, N = 12, TRAIN = 45 };
    for (int over = 0; over < 2; over++) {
        double *y = numbers(B * T * N), score[2];
        vdi_rng rng = vdi_rng_make(9, (uint64_t)over);
        vdi_error err = {0};
        for (int64_t i = 0; i < B * T * N; i++) {
            double phase = (double)(i / N % T) * 0.3 + (double)(i % N);
            double rate = exp(0.5 + 0.5 * sin(phase));
            if (over)
                y[i] = (double)vdi_rng_poisson(&rng, rate * vdi_rng_gamma(&rng, 1.5) / 1.5);
            else
                y[i] = (double)vdi_rng_binomial(&rng, 4, fmin(0.95, rate / 4));
        }
        for (int k = 0; k < 2; k++) {
            vdi_vilds_desc desc = VDI__ZERO;
            desc.d = 2;
            desc.n = N;
            desc.obs = k ? VDI_VILDS_COUNT : VDI_VILDS_POISSON;
            desc.max_count = over ? 16 : 4;
            desc.train.steps = 250;
            desc.train.batch = 15;
            vdi_vilds *m = make(&desc);
            vdi_vilds_data *train = observe(m, y, TRAIN, T, NULL);
            vdi_vilds_data *held = observe(m, y + TRAIN * T * N, B - TRAIN, T, NULL);
            CHECK_OK(vdi_vilds_fit(m, train, NULL, NULL, NULL, &err), err);
            CHECK_OK(vdi_vilds_score(m, held, NULL, &score[k], &err), err);
            if (k) {
                const vdi_param *g = vdi_params_find(vdi_vilds_params(m), "obs.g");
                int right = 0;
                for (int64_t j = 0; j < N; j++) {
                    double mean = 0;
                    for (int64_t i = j; i < TRAIN * T * N; i += N)
                        mean += y[i] / (TRAIN * T);
                    right += (dispersion(g, j, mean) > 1) == (over == 1);
                }
                CHECK(right >= 0.9 * N, "%s: the sign is right for %d of %d neurons",
                      over ? "over" : "under", right, (int)N);
            }
            vdi_vilds_data_destroy(train);
            vdi_vilds_data_destroy(held);
            vdi_vilds_destroy(m);
        }
        CHECK(score[1] > score[0] + 0.01,
              "%s-dispersed: generalised counts %.4f, Poisson %.4f nats per bin",
              over ? "over" : "under", score[1], score[0]);
        free(y);
    }
}

TEST(vilds, counts_of_data) {
    enum { B = 3, LONGEST = 6, N = 2 };
    double *y = simulated(B, LONGEST, N, 9);
    const int64_t lengths[B] = {6, 2, 4};
    vdi_vilds_desc desc = VDI__ZERO;
    desc.d = 2;
    desc.n = N;
    CHECK(vdi_flds_takes_plds(&desc), "counts by their log mean");
    vdi_vilds *m = make(&desc);
    vdi_vilds_data *data = observe(m, y, B, LONGEST, lengths);
    CHECK(vdi_vilds_data_trials(data) == B && vdi_vilds_data_bins(data) == LONGEST &&
              vdi_vilds_data_length(data, 1) == 2 && vdi_vilds_data_total_bins(data) == 12,
          "%d trials, %d bins, %d in all", (int)vdi_vilds_data_trials(data),
          (int)vdi_vilds_data_bins(data), (int)vdi_vilds_data_total_bins(data));
    CHECK(vdi_fields_find(vdi_vilds_query_fields(), "samples") != NULL, "fields of a query");
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    desc.obs = VDI_VILDS_GAUSSIAN;
    CHECK(!vdi_flds_takes_plds(&desc), "a Gaussian has no log rate");
    free(y);
}
