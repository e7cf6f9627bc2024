/* tests/vilds.c - the bound against exact inference, gradients of the model's own code, missing and
 * ragged trials, prediction without leaks
 */
#include "check.h"

/* ---- helpers --------------------------------------------------------------------------------- */

static double *numbers(int64_t n) {
    return (double *)calloc((size_t)(n > 0 ? n : 1), sizeof(double));
}

static vdi_tensor reference(const char *name) {
    vdi_tensor t, r;
    vdi_error err = {0};
    char path[96];
    snprintf(path, sizeof path, "data/lds/%s.npy", name);
    CHECK_OK(vdi_npy_load(shared_path(path), NULL, &t, &err), err);
    CHECK_OK(vdi_tensor_alloc(NULL, VDI_F64, t.ndim, t.shape, &r, &err), err);
    CHECK_OK(vdi_tensor_copy(r, t, &err), err);
    vdi_tensor_free(NULL, &t);
    return r;
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

static double *simulated(int64_t trials, int64_t T, int64_t n, unsigned long long seed) {
    double *y = numbers(trials * T * n);
    for (int64_t i = 0; i < trials * T * n; i++)
        y[i] = floor(fabs(1.2 * test_normal(&seed)));
    return y;
}

/* ---- exactness ------------------------------------------------------------------------------- */

/* A linear read-out with Gaussian noise and the encoder h = C'R^{-1}(y - b), R R' = C'R^{-1}C: q is
 * the exact posterior, the bound log p(y). */
TEST(vilds, exact_for_gaussian_lds) {
    NEED_SHARED("data/lds/k1_y.npy");
    static const char *const set[] = {"k1", "k2", "k4"};
    for (int k = 0; k < 3; k++) {
        char name[32];
        vdi_tensor v[10];
        static const char *const what[] = {"A",  "Q",  "C", "b",      "R",
                                           "x0", "Q0", "y", "out_ms", "out_Ps"};
        for (int i = 0; i < 10; i++) {
            snprintf(name, sizeof name, "%s_%s", set[k], what[i]);
            v[i] = reference(name);
        }
        snprintf(name, sizeof name, "%s_out_ll", set[k]);
        vdi_tensor ll = reference(name);
        const double *A = (double *)v[0].data;
        const double *C = (double *)v[2].data;
        const double *b = (double *)v[3].data;
        const double *R = (double *)v[4].data;
        const double *x0 = (double *)v[5].data;
        int64_t d = v[0].shape[0];
        int64_t n = v[2].shape[0];
        int64_t trials = v[7].shape[0];
        int64_t T = v[7].shape[1];
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_error err = {0};
        desc.d = d;
        desc.n = n;
        desc.obs = VDI_VILDS_GAUSSIAN;
        desc.linear = desc.encoder_linear = true;
        desc.has_reach = true;
        desc.reach = 0;
        desc.dtype = VDI_F64;
        desc.free_start = true;
        vdi_vilds *m = make(&desc);
        vdi_vilds_data *data = observe(m, (double *)v[7].data, trials, T, NULL);
        CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
        CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q", (double *)v[1].data, &err), err);
        CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q0", (double *)v[6].data, &err), err);
        const vdi_state *state = vdi_vilds_state(m, false);
        const double *mean = NULL, *sd = NULL;
        for (int64_t i = 0; i < state->tensor_count; i++) {
            if (!strcmp(state->tensors[i].name, "data.mean"))
                mean = (const double *)state->tensors[i].tensor.data;
            if (!strcmp(state->tensors[i].name, "data.sd"))
                sd = (const double *)state->tensors[i].tensor.data;
        }
        double L[64];
        memset(L, 0, sizeof L);
        for (int64_t i = 0; i < d * d; i++)
            put(m, "prior.A", i, A[i]);
        for (int64_t i = 0; i < d; i++)
            put(m, "prior.x0", i, x0[i]);
        int64_t outputs = d + d * d;
        for (int64_t i = 0; i < outputs; i++)
            put(m, "encoder.bias", i, 0);
        for (int64_t i = 0; i < n * outputs; i++)
            put(m, "encoder.window", i, 0);
        for (int64_t j = 0; j < n; j++) {
            put(m, "decoder.0.bias", j, b[j]);
            put(m, "obs.log_sd", j, 0.5 * log(R[j * n + j]));
            for (int64_t i = 0; i < d; i++) {
                put(m, "decoder.0.weight", i * n + j, C[j * d + i]);
                put(m, "encoder.window", j * outputs + i, C[j * d + i] / R[j * n + j] * sd[j]);
                for (int64_t l = 0; l < d; l++)
                    L[i * d + l] += C[j * d + i] * C[j * d + l] / R[j * n + j];
            }
        }
        for (int64_t i = 0; i < d; i++) {
            double h = 0;
            for (int64_t j = 0; j < n; j++)
                h += C[j * d + i] / R[j * n + j] * (mean[j] - b[j]);
            put(m, "encoder.bias", i, h);
        }
        CHECK_OK(vdi_cholesky(VDI_F64, (size_t)d, L, (size_t)d, &err), err);
        for (int64_t i = 0; i < d * d; i++)
            put(m, "encoder.bias", d + i, L[i]);
        vdi_vilds_result out = VDI__ZERO;
        double *elbo = numbers(trials);
        double *iw = numbers(trials);
        double *ms = numbers(trials * T * d);
        double *Ps = numbers(trials * T * d * d);
        out.elbo = elbo;
        out.mean = ms;
        out.cov = Ps;
        out.iw = iw;
        vdi_vilds_query q = VDI__ZERO;
        q.iw = 3;
        CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
        for (int64_t i = 0; i < trials; i++) {
            double truth = ((double *)ll.data)[i];
            CHECK_CLOSE(elbo[i], truth, 1e-9 * fabs(truth));
            /* with the exact posterior every sample has the same weight */
            CHECK_CLOSE(iw[i], truth, 1e-9 * fabs(truth));
            for (int64_t c = 0; c < T * d; c++)
                CHECK_CLOSE(ms[i * T * d + c], ((double *)v[8].data)[i * T * d + c], 1e-9);
            for (int64_t c = 0; c < T * d * d; c++) {
                CHECK_CLOSE(Ps[i * T * d * d + c],
                            ((double *)v[9].data)[c % vdi_tensor_count(v[9])], 1e-9);
            }
        }
        free(elbo);
        free(ms);
        free(Ps);
        free(iw);
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
        for (int i = 0; i < 10; i++)
            vdi_tensor_free(NULL, &v[i]);
        vdi_tensor_free(NULL, &ll);
    }
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

TEST(vilds, gradients) {
    enum { B = 5, T = 7, N = 4 };
    double *y = simulated(B, T, N, 3);
    const int64_t ragged[B] = {7, 3, 5, 7, 1};
    for (int k = 0; k < 19; k++) {
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_error err = {0};
        vdi_param_desc phi = vdi_param_1d("phi", VDI_INIT_CONSTANT, 0.5, 1);
        desc.d = 2;
        desc.n = N;
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
        if (k == 1) desc.posterior = VDI_VILDS_DIRECT;
        if (k == 2) desc.posterior = VDI_VILDS_MEANFIELD;
        if (k == 3) {
            desc.obs = VDI_VILDS_GAUSSIAN;
            desc.skip = true;
        }
        if (k == 4) {
            desc.obs = VDI_VILDS_COUNT;
            desc.max_count = 4;
        }
        if (k == 5) desc.obs = VDI_VILDS_NEGBIN;
        if (k == 6) desc.linear = true;
        if (k == 7) {
            desc.linear = true;
            desc.obs = VDI_VILDS_GAUSSIAN;
        }
        if (k == 8) {
            desc.untied = true;
            desc.link = VDI_VILDS_SOFTPLUS;
        }
        if (k == 9) { /* the stationary distribution is a constant to the gradient: A and Q stay */
            desc.train.window = 4;
            desc.a0 = 0.5;
        }
        if (k == 10) {
            desc.d = 1;
            desc.log_joint = volatility;
            desc.user_params = &phi;
            desc.user_param_count = 1;
        }
        if (k == 11) desc.inputs = 2;
        if (k >= 12) desc.bin_width = 0.3; /* and offsets */
        if (k == 12) {
            desc.transition_layers = 1;
            desc.transition_hidden[0] = 4;
            desc.inputs = 2;
        }
        if (k == 13) {
            desc.obs = VDI_VILDS_NEGBIN;
            desc.link = VDI_VILDS_SOFTPLUS;
        }
        if (k == 14) desc.linear = true;
        if (k == 15) {
            desc.transition_layers = 2;
            desc.transition_hidden[0] = desc.transition_hidden[1] = 3;
            desc.train.window = 4;
            desc.a0 = 0.5;
        }
        if (k == 16) {
            desc.transition_layers = 1;
            desc.transition_hidden[0] = 4;
            desc.posterior = VDI_VILDS_DIRECT;
            desc.linear = true;
        }
        if (k >= 17) desc.train.sampled_kl = true;
        if (k == 18) {
            desc.transition_layers = 1;
            desc.transition_hidden[0] = 4;
            desc.inputs = 2;
        }
        vdi_vilds *m = make(&desc);
        vdi_vilds_data_desc dd = VDI__ZERO;
        vdi_vilds_data *data = NULL;
        double u[B * T * 2], offset[T * N], slope, ignored;
        unsigned long long seed = 11;
        for (int i = 0; i < B * T * 2; i++)
            u[i] = test_normal(&seed);
        for (int i = 0; i < T * N; i++)
            offset[i] = 0.5 * test_normal(&seed);
        if (k >= 12) { /* the same for each trial */
            dd.has_offset = true;
            dd.offset = vdi_tensor_2d(offset, VDI_F64, T, N);
        }
        if (k % 2) {
            y[9] = NAN;
            y[30] = NAN;
        } else {
            y[9] = y[30] = 1;
        }
        dd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
        dd.u = vdi_tensor_3d(u, VDI_F64, B, T, 2);
        if (k != 2) dd.lengths = ragged;
        CHECK_OK(vdi_vilds_data_create(m, &dd, &data, &err), err);
        CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
        vdi_params *p = vdi_vilds_params(m);
        double *direction = numbers(p->total);
        for (int64_t i = 0; i < p->count; i++) {
            /* away from symmetric starts, without the gaps between parameters */
            for (int64_t c = 0; c < vdi_tensor_count(p->item[i].value); c++)
                ((double *)p->item[i].value.data)[c] += 0.1 * test_normal(&seed);
        }
        for (int trial = 0; trial < 3; trial++) {
            for (int64_t i = 0; i < p->count; i++) {
                for (int64_t c = 0; c < vdi_tensor_count(p->item[i].value); c++) {
                    direction[(double *)p->item[i].value.data - (double *)p->values + c] =
                        (k == 9 || k == 15) && (!strcmp(p->item[i].name, "prior.A") ||
                                                !strcmp(p->item[i].name, "prior.Q"))
                            ? 0
                            : test_normal(&seed);
                }
            }
            double f0 = loss_at(m, data, &slope, direction), h = 1e-3, f[4], r[2];
            CHECK(loss_at(m, data, &ignored, direction) == f0 && ignored == slope,
                  "two runs differ");
            for (int i = 0; i < 4; i++) {
                double step = h * (i < 2 ? i - 2 : i - 1);
                move(m, direction, step);
                f[i] = loss_at(m, data, &ignored, direction);
                move(m, direction, -step);
            }
            double numeric = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
            CHECK(fabs(numeric - slope) <= 1e-6 * (1 + fabs(slope)),
                  "case %d: slope %.12g, differences %.12g", k, slope, numeric);
            r[0] = fabs(f[3] - f0 - 2 * h * slope);
            r[1] = fabs(f[2] - f0 - h * slope);
            CHECK(r[1] < 1e-12 || log2(r[0] / r[1]) >= 1.9, "case %d: Taylor slope %g", k,
                  log2(r[0] / r[1]));
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
            q.samples = 4000; /* its samples are another trial's; so in the mean */
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
            CHECK(fabs(alone - elbo[0][b]) < 3 + 0.3 * fabs(alone),
                  "trial %d alone %g, in the batch %g", b, alone, elbo[0][b]);
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

/* A run that is written away in the middle goes on to the bit, restarts, validation and all; the
 * bound rises. */
TEST(vilds, training_goes_on_to_the_bit) {
    enum { B = 10, T = 12, N = 5 };
    double *y = simulated(B, T, N, 21);
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_error err = {0};
    desc.d = 2;
    desc.n = N;
    desc.train.restarts = 2;
    desc.train.restart_steps = 15;
    desc.train.steps = 30;
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
        for (int i = 0; i < (half ? 23 : 37); i++)
            CHECK_OK(vdi_vilds_step(m[half], data[half], validation[half], NULL, &err), err);
        if (!half) {
            bytes = copied(vdi_vilds_state(m[0], true), NULL, false);
            state[0] = (char *)malloc((size_t)bytes);
            state[1] = (char *)malloc((size_t)bytes);
            (void)copied(vdi_vilds_state(m[0], true), state[0], false);
            (void)copied(vdi_vilds_state(m[1], true), state[0], true);
        }
    }
    for (int i = 0; i < 23; i++)
        CHECK_OK(vdi_vilds_step(m[0], data[0], validation[0], NULL, &err), err);
    for (int k = 0; k < 2; k++) {
        CHECK(vdi_vilds_step(m[k], data[k], validation[k], NULL, &err) == VDI_END,
              "the schedule goes on");
        (void)copied(vdi_vilds_state(m[k], true), state[k], false);
        vdi_vilds_data_destroy(data[k]);
        vdi_vilds_data_destroy(validation[k]);
        vdi_vilds_destroy(m[k]);
    }
    CHECK(!memcmp(state[0], state[1], (size_t)bytes), "the run that was taken up differs");
    free(state[0]);
    free(state[1]);
    free(y);
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

/* log p(y) of the model of volatility() by a bootstrap filter with many particles. */
static double particle_filter(const double *y, int64_t T, double phi, double sd, int particles,
                              uint64_t seed) {
    double *z = numbers(particles);
    double *w = numbers(particles);
    double *next = numbers(particles);
    double total = 0;
    vdi_rng rng = vdi_rng_make(seed, 0);
    for (int64_t t = 0; t < T; t++) {
        double top = -HUGE_VAL, sum = 0;
        for (int i = 0; i < particles; i++) {
            z[i] = t ? phi * z[i] + sd * vdi_rng_normal(&rng) : vdi_rng_normal(&rng);
            w[i] = -0.5 * (y[t] * y[t] * exp(-z[i]) + z[i] + VDI_LOG_2PI);
            top = fmax(top, w[i]);
        }
        for (int i = 0; i < particles; i++) {
            w[i] = exp(w[i] - top);
            sum += w[i];
        }
        total += top + log(sum / particles);
        double u = vdi_rng_uniform(&rng), reach = w[0];
        for (int i = 0, j = 0; i < particles; i++) { /* systematic resampling */
            for (; reach < (i + u) * sum / particles && j < particles - 1;)
                reach += w[++j];
            next[i] = z[j];
        }
        memcpy(z, next, (size_t)particles * sizeof *z);
    }
    free(z);
    free(w);
    free(next);
    return total;
}

TEST(vilds, log_joint_against_a_particle_filter) {
    NEED_NATIVE();
    enum { B = 30, T = 40 };
    double y[B * T];
    double phi = tanh(1.5);
    double sd = exp(-1);
    double z = 0;
    double elbo[2][B];
    double iw[B];
    double sum[4] = {0};
    vdi_rng rng = vdi_rng_make(5, 0);
    for (int i = 0; i < B * T; i++) {
        z = i % T ? phi * z + sd * vdi_rng_normal(&rng) : vdi_rng_normal(&rng);
        y[i] = exp(0.5 * z) * vdi_rng_normal(&rng);
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
        memset(sum, 0, sizeof sum);
        for (int pass = 0; pass < 2; pass++) {
            vdi_vilds_result out = VDI__ZERO;
            vdi_vilds_query q = VDI__ZERO;
            out.elbo = elbo[pass];
            q.samples = 200;
            if (pass) {
                out.iw = iw;
                q.iw = 200;
                q.refine = 60;
            }
            CHECK_OK(vdi_vilds_infer(m, data, &q, &out, &err), err);
        }
        for (int b = 0; b < B; b++) {
            sum[0] += elbo[0][b] / (B * T);
            sum[1] += elbo[1][b] / (B * T);
            sum[2] += iw[b] / (B * T);
            sum[3] += particle_filter(y + b * T, T, phi, sd, 4000, (uint64_t)b) / (B * T);
        }
        CHECK(sum[0] < sum[3] && (k || sum[0] > sum[3] - 0.03),
              "posterior %d: ELBO %.4f, particle filter %.4f", k, sum[0], sum[3]);
        CHECK(sum[1] > sum[0] - 1e-3 && sum[1] < sum[3], "posterior %d: refined %.4f from %.4f", k,
              sum[1], sum[0]);
        CHECK(sum[2] > sum[1] && sum[2] < sum[3] + 2e-3,
              "posterior %d: importance-weighted %.4f, refined %.4f, particle filter %.4f", k,
              sum[2], sum[1], sum[3]);
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
    }
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
