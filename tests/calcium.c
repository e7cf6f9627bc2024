/* tests/calcium.c - the models of fluorescence: the tape against the plain recursions, gradients
 * against differences, the integrated baseline against a dense Gaussian
 */
#include "check.h"

enum { S = 3, B = 2, T = 9, LANES = S * B };

typedef struct problem {
    vdi_calcium_desc desc;
    vdi_dtype dtype;
    int streams, P, rows; /* rows of theta: 1, B or LANES */
    bool masked, trace;
    double spikes[2 * LANES * T], theta[LANES * VDI_CALCIUM_PARAMS], f[2 * B * T], mask[2 * B * T],
        weight[2 * LANES * T + LANES];
} problem;

/* where lane (s,b), bin t of stream k stands */
static int at_lane(const problem *p, int k, int s, int b, int t) {
    return k * LANES * T + (p->desc.time_major ? (t * S + s) * B + b : (s * B + b) * T + t);
}
static int at_cell(const problem *p, int k, int b, int t) {
    return k * B * T + (p->desc.time_major ? t * B + b : b * T + t);
}

static problem make(vdi_calcium_model model, int variant) {
    problem p;
    unsigned long long seed = 977 + (unsigned)variant * 131 + (unsigned)model;
    memset(&p, 0, sizeof p);
    p.desc.model = model;
    p.desc.bin = variant % 3 == 0 ? 0.3 : 0.05; /* wide against the rise of MLphys, and narrow */
    p.desc.drift = variant % 2 ? 2.5 : 0;
    p.desc.drift_white = variant % 4 == 3;
    p.desc.time_major = variant / 2 % 2 == 1;
    p.rows = variant % 3 == 0 ? 1 : variant % 3 == 1 ? B : LANES;
    p.masked = variant >= 2;
    p.trace = variant != 4;
    p.streams = vdi_calcium_streams(model);
    const vdi_calcium_param *list = vdi_calcium_params(model, &p.P);
    double raw[VDI_CALCIUM_PARAMS];
    vdi_calcium_initial(&p.desc, raw);
    for (int r = 0; r < p.rows; r++) {
        for (int i = 0; i < p.P; i++)
            p.theta[r * p.P + i] = raw[i] + 0.3 * test_normal(&seed);
    }
    for (int r = 0; r < p.rows; r++) {
        for (int i = 0; i < p.P; i++)
            if (!strncmp(list[i].name, "sigma", 5)) p.theta[r * p.P + i] = -0.5 + 0.1 * r;
    }
    if (model == VDI_CALCIUM_SCDF) {
        for (int r = 0; r < p.rows; r++) { /* so that it saturates */
            p.theta[r * p.P + 2] = -1.5;
            p.theta[r * p.P + 4] = 0.5 - 0.1 * r;
        }
    }
    for (int i = 0; i < p.streams * LANES * T; i++)
        p.spikes[i] = test_uniform(&seed) < 0.5 ? 0.2 + 2 * test_uniform(&seed) : 0.05;
    for (int i = 0; i < p.streams * B * T; i++) {
        p.f[i] = test_normal(&seed);
        p.mask[i] = !p.masked || test_uniform(&seed) < 0.7;
        if (p.masked && !p.mask[i] && test_uniform(&seed) < 0.5) p.f[i] = NAN;
    }
    for (int i = 0; i < 2 * LANES * T + LANES; i++)
        p.weight[i] = test_normal(&seed);
    return p;
}

static vdi_tensor shaped(const problem *p, void *data, int what) { /* 0 spikes, 1 f, 2 theta */
    int64_t shape[4];
    int n = 0;
    if (what == 2) {
        if (p->rows == 1) return vdi_tensor_1d(data, p->dtype, p->P);
        return p->rows == B ? vdi_tensor_2d(data, p->dtype, B, p->P)
                            : vdi_tensor_3d(data, p->dtype, S, B, p->P);
    }
    if (p->streams == 2) shape[n++] = 2;
    if (p->desc.time_major) shape[n++] = T;
    if (what == 0) shape[n++] = S;
    shape[n++] = B;
    if (!p->desc.time_major) shape[n++] = T;
    return vdi_tensor_view(data, p->dtype, n, shape);
}

static vdi_status build(vdi_tape *t, problem *p, vdi_var spikes, vdi_var theta, vdi_var *trace,
                        vdi_var *log_p) {
    vdi_tensor f = shaped(p, p->f, 1), m = shaped(p, p->mask, 1);
    f.dtype = m.dtype = VDI_F64;
    vdi_var fv = vdi_tape_constant_copy(t, f, p->dtype);
    vdi_var mv = p->masked ? vdi_tape_constant_copy(t, m, p->dtype) : vdi_var_none();
    return vdi_var_calcium(t, &p->desc, spikes, theta, fv, mv, trace, log_p);
}

static vdi_var value(vdi_tape *t, const vdi_var *x, void *user) {
    problem *p = (problem *)user;
    vdi_var trace, log_p;
    vdi_tensor w = shaped(p, p->weight, 0);
    vdi_tensor v = vdi_tensor_2d(p->weight + 2 * LANES * T, VDI_F64, S, B);
    if (build(t, p, x[0], x[1], p->trace ? &trace : NULL, &log_p) < 0) return vdi_var_none();
    vdi_var loss = vdi_var_sum(t, vdi_var_mul(t, log_p, vdi_tape_constant(t, v)));
    if (p->trace)
        loss = vdi_var_add(t, loss, vdi_var_sum(t, vdi_var_mul(t, trace, vdi_tape_constant(t, w))));
    return loss;
}

TEST(calcium, gradients) {
    for (int model = 0; model < VDI_CALCIUM_MODELS; model++) {
        for (int variant = 0; variant < 8; variant++) {
            if (!test_chosen((size_t)(model * 8 + variant))) continue;
            problem p = make((vdi_calcium_model)model, variant);
            p.dtype = VDI_F64;
            vdi_tensor in[2];
            in[0] = shaped(&p, p.spikes, 0);
            in[1] = shaped(&p, p.theta, 2);
            vdi_check_desc desc = VDI__ZERO;
            vdi_check_report report;
            vdi_error err = {0};
            desc.fn = value;
            desc.user = &p;
            desc.inputs = 2;
            desc.input = in;
            CHECK_OK(vdi_check_gradient(&desc, &report, &err), err);
            CHECK(report.worst < 1e-6, "%s, variant %d: %s",
                  vdi_calcium_name((vdi_calcium_model)model), variant, report.text);
        }
    }
}

/* log N(x; mean, C) by elimination without pivots: C is positive definite */
static double dense_log_p(int n, double *C, double *x) {
    double v = 0;
    for (int i = 0; i < n; i++) {
        v -= 0.5 * (VDI_LOG_2PI + log(C[i * n + i]) + x[i] * x[i] / C[i * n + i]);
        for (int r = i + 1; r < n; r++) {
            const double g = C[r * n + i] / C[i * n + i];
            x[r] -= g * x[i];
            for (int c = i; c < n; c++)
                C[r * n + c] -= g * C[i * n + c];
        }
    }
    return v;
}

/* Traces against the plain recursions, log p against a dense Gaussian: for the walk with a flat
 * start as the limit of a wide one, whose density has to be taken out: N(b_1; 0, V) -> 1 means +
 * 1/2 log(2 pi V). */
TEST(calcium, values) {
    for (int model = 0; model < VDI_CALCIUM_MODELS; model++) {
        for (int variant = 0; variant < 6; variant++) {
            for (int dtype = 0; dtype < 2; dtype++) {
                problem p = make((vdi_calcium_model)model, variant);
                vdi_tape *t = NULL;
                vdi_error err = {0};
                vdi_var trace, log_p;
                double tolerance = dtype == VDI_F64 ? 1e-7 : 2e-4;
                p.dtype = VDI_F64;
                if (p.desc.drift_white) continue;
                CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
                vdi_tensor s = shaped(&p, p.spikes, 0), q = shaped(&p, p.theta, 2);
                p.dtype = (vdi_dtype)dtype;
                vdi_var sv = vdi_tape_constant_copy(t, s, p.dtype);
                vdi_var qv = vdi_tape_constant_copy(t, q, p.dtype);
                CHECK_OK(build(t, &p, sv, qv, &trace, &log_p), err);
                CHECK_OK(vdi_tape_status(t, &err), err);
                for (int l = 0; l < LANES; l++) {
                    double one[2 * T], clean[2 * T], sum = 0;
                    const double *raw = p.theta + l % p.rows * p.P;
                    for (int k = 0; k < p.streams; k++) {
                        for (int i = 0; i < T; i++)
                            one[k * T + i] = p.spikes[at_lane(&p, k, l / B, l % B, i)];
                    }
                    CHECK_OK(vdi_calcium_sample(&p.desc, raw, VDI_F64, T, one, 0, NULL, clean, NULL,
                                                &err),
                             err);
                    for (int k = 0; k < p.streams; k++) {
                        double C[T * T], x[T], wide = 1e8, sigma;
                        int where[T], n = 0;
                        sigma = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS,
                                                    raw[p.streams == 2 && k == 0 ? 3 : p.P - 1]);
                        for (int i = 0; i < T; i++) {
                            CHECK_CLOSE(vdi_dtype_load(p.dtype, vdi_tape_value(t, trace).data,
                                                       at_lane(&p, k, l / B, l % B, i)),
                                        clean[k * T + i],
                                        tolerance * fmax(1, fabs(clean[k * T + i])));
                            if (p.mask[at_cell(&p, k, l % B, i)] != 0) where[n++] = i;
                        }
                        for (int i = 0; i < n; i++) {
                            x[i] = p.f[at_cell(&p, k, l % B, where[i])] - clean[k * T + where[i]];
                            for (int j = 0; j < n; j++) {
                                const int steps = where[i] < where[j] ? where[i] : where[j];
                                C[i * n + j] = (i == j) * sigma * sigma;
                                if (p.desc.drift > 0)
                                    C[i * n + j] += wide + steps * sigma * sigma / p.desc.drift;
                            }
                        }
                        if (n && p.desc.drift > 0) sum += 0.5 * (VDI_LOG_2PI + log(wide));
                        sum += dense_log_p(n, C, x);
                    }
                    CHECK_CLOSE(vdi_dtype_load(p.dtype, vdi_tape_value(t, log_p).data, l), sum,
                                (dtype == VDI_F64 ? 1e-5 : 1e-3) * fmax(1, fabs(sum)));
                }
                vdi_tape_destroy(t);
            }
        }
    }
}

/* The noise and the walk have the standard deviations that were asked for, and the published maps
 * their published values. */
TEST(calcium, sampling_and_maps) {
    enum { LONG = 20000 };
    static double s[LONG], clean[LONG], f[LONG];
    double raw[VDI_CALCIUM_PARAMS], sum = 0, step = 0;
    vdi_error err = {0};
    vdi_rng rng = vdi_rng_make(3, 0);
    vdi_calcium_desc desc = vdi_calcium_desc_defaults();
    for (int i = 0; i < LONG; i++)
        s[i] = (double)vdi_rng_poisson(&rng, 0.02);
    vdi_calcium_initial(&desc, raw);
    CHECK_OK(vdi_calcium_sample(&desc, raw, VDI_F64, LONG, s, 0, &rng, clean, f, &err), err);
    for (int i = 0; i < LONG; i++)
        sum += (f[i] - clean[i]) * (f[i] - clean[i]);
    const double sd = log1p(exp(-2.5));
    CHECK_CLOSE(sqrt(sum / LONG), sd, 0.02 * sd);
    CHECK_OK(vdi_calcium_sample(&desc, raw, VDI_F64, LONG, s, 1, &rng, clean, f, &err), err);
    for (int i = 1; i < LONG; i++)
        step += pow(f[i] - clean[i] - f[i - 1] + clean[i - 1], 2);
    CHECK_CLOSE(sqrt(step / LONG), sqrt(1 + 2 * sd * sd), 0.03);
    /* one spike decays by the same factor per second, whatever the bin */
    desc.bin = 0.2;
    vdi_calcium_initial(&desc, raw);
    CHECK_CLOSE(pow(vdi_calcium_natural(VDI_CALCIUM_SIGMOID, raw[0]), 5),
                pow(1 / (1 + exp(-3.5)), 60), 1e-9);
    static const double natural[] = {1.87, 0, 1.84, 0, 0, 0.275, 0, 0.030};
    desc.model = VDI_CALCIUM_MLPHYS;
    vdi_calcium_initial(&desc, raw);
    int count = 0;
    const vdi_calcium_param *p = vdi_calcium_params(desc.model, &count);
    for (int i = 0; i < count; i++)
        if (natural[i] != 0) CHECK_CLOSE(vdi_calcium_natural(p[i].map, raw[i]), natural[i], 1e-3);
    for (int model = 0; model < VDI_CALCIUM_MODELS; model++) {
        vdi_calcium_model found;
        p = vdi_calcium_params((vdi_calcium_model)model, &count);
        desc.model = (vdi_calcium_model)model;
        vdi_calcium_draw(&desc, &rng, raw);
        CHECK(vdi_calcium_find(vdi_calcium_name((vdi_calcium_model)model), &found) &&
              (int)found == model);
        for (int i = 0; i < count; i++) {
            CHECK(p[i].low <= p[i].high, "%s", p[i].name);
            CHECK_CLOSE(vdi_calcium_raw(p[i].map, vdi_calcium_natural(p[i].map, p[i].initial)),
                        p[i].initial, 1e-9);
        }
    }
    vdi_calcium_model none;
    CHECK(!vdi_calcium_find("cubic", &none));
    desc.bin = -1;
    CHECK_FAILS(vdi_calcium_desc_check(&desc, &err), VDI_ERR_ARGUMENT);
}

/* MLphys with the exact rise: many narrow bins of a held input give what one wide bin gives. */
TEST(calcium, exact_rise) {
    double raw[VDI_CALCIUM_PARAMS], s[64] = {3}, wide[1], narrow[64];
    vdi_error err = {0};
    vdi_calcium_desc desc = vdi_calcium_desc_defaults();
    desc.model = VDI_CALCIUM_MLPHYS;
    vdi_calcium_initial(&desc, raw);
    raw[0] = 40; /* calcium does not decay: u is held */
    raw[3] = -1;
    raw[4] = vdi_calcium_raw(VDI_CALCIUM_SOFTPLUS, 0.05);
    desc.bin = 0.064;
    CHECK_OK(vdi_calcium_sample(&desc, raw, VDI_F64, 1, s, 0, NULL, wide, NULL, &err), err);
    desc.bin = 0.001;
    CHECK_OK(vdi_calcium_sample(&desc, raw, VDI_F64, 64, s, 0, NULL, narrow, NULL, &err), err);
    CHECK_CLOSE(wide[0] / narrow[63], 1, 5e-3); /* exp(-0.064/40) of decay is left */
}

/* Wrong shapes and bad numbers are errors of the tape; a measuring tape tells enough; a model of
 * the user's own has the same interface. */
static vdi_var squares(vdi_tape *t, vdi_var s, vdi_var f, vdi_var mask,
                       const vdi_calcium_info *info, vdi_var *trace, void *user) {
    (void)mask;
    (void)info;
    (void)user;
    if (trace) *trace = s;
    vdi_var r = vdi_var_sub(t, f, s);
    return vdi_var_mul_scalar(t, vdi_var_sum_axis(t, vdi_var_square(t, r), -1, false), -0.5);
}

TEST(calcium, measured_block) {
    vdi_error err = {0};
    vdi_tape_desc td = vdi_tape_desc_defaults();
    size_t bytes = 0;
    for (int round = 0; round < 2; round++) {
        problem p = make(VDI_CALCIUM_SCDF, 5);
        vdi_tape *t = NULL;
        vdi_var trace, log_p;
        p.dtype = VDI_F64;
        td.measure = round == 0;
        td.memory = round ? malloc(bytes) : NULL;
        td.memory_size = bytes;
        CHECK_OK(vdi_tape_create(&td, &t, &err), err);
        vdi_var s = vdi_tape_variable(t, shaped(&p, p.spikes, 0));
        vdi_var q = vdi_tape_variable(t, shaped(&p, p.theta, 2));
        CHECK_OK(build(t, &p, s, q, &trace, &log_p), err);
        CHECK_OK(vdi_tape_backward(t, vdi_var_add(t, vdi_var_sum(t, log_p), vdi_var_sum(t, trace))),
                 err);
        bytes = vdi_tape_bytes(t);
        vdi_tape_destroy(t);
        free(td.memory);
    }
}

TEST(calcium, errors) {
    vdi_error err = {0};
    problem p = make(VDI_CALCIUM_AR1, 0);
    vdi_tape *t = NULL;
    vdi_var log_p;
    p.dtype = VDI_F64;
    CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
    vdi_var s = vdi_tape_constant(t, shaped(&p, p.spikes, 0));
    vdi_var f = vdi_tape_constant(t, shaped(&p, p.f, 1));
    CHECK_FAILS(vdi_var_calcium(t, &p.desc, s, s, f, vdi_var_none(), NULL, &log_p), VDI_ERR_SHAPE);
    vdi_tape_reset(t);
    s = vdi_tape_constant(t, shaped(&p, p.spikes, 0));
    f = vdi_tape_constant(t, shaped(&p, p.f, 1));
    p.theta[1] = NAN;
    CHECK_FAILS(vdi_var_calcium(t, &p.desc, s, vdi_tape_constant(t, shaped(&p, p.theta, 2)), f,
                                vdi_var_none(), NULL, &log_p),
                VDI_ERR_DATA);
    vdi_tape_destroy(t);
}

/* Two cells behind the interface: each row has its own. */
TEST(calcium, interface) {
    vdi_error err = {0};
    problem p = make(VDI_CALCIUM_AR1, 0);
    vdi_tape *t = NULL;
    p.dtype = VDI_F64;
    CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
    double theta[8], grad[8] = {0}, alone[2];
    for (int i = 0; i < 8; i++)
        theta[i] = p.theta[i % 4] + 0.1 * i;
    vdi_param param;
    memset(&param, 0, sizeof param);
    param.value = vdi_tensor_2d(theta, VDI_F64, 2, 4);
    param.grad = vdi_tensor_2d(grad, VDI_F64, 2, 4);
    int64_t cell[B] = {1, 0};
    vdi_calcium_info info = VDI__ZERO;
    vdi_calcium_cells cells;
    cells.desc = p.desc;
    cells.theta = &param;
    info.samples = S;
    info.batch = B;
    info.T = T;
    info.streams = 1;
    info.cell = cell;
    vdi_fluorescence_fn model = vdi_calcium_fluorescence;
    vdi_var s = vdi_tape_constant(t, shaped(&p, p.spikes, 0));
    vdi_var f = vdi_tape_constant(t, shaped(&p, p.f, 1));
    vdi_var log_p = model(t, s, f, vdi_var_none(), &info, NULL, &cells);
    for (int c = 0; c < 2; c++) {
        vdi_var one = vdi_tape_constant(t, vdi_tensor_1d(theta + 4 * c, VDI_F64, 4)), lp;
        CHECK_OK(vdi_var_calcium(t, &p.desc, s, one, f, vdi_var_none(), NULL, &lp), err);
        alone[c] = vdi_dtype_load(VDI_F64, vdi_tape_value(t, lp).data, 1 - c);
    }
    CHECK_OK(vdi_tape_status(t, &err), err);
    CHECK(vdi_dtype_load(VDI_F64, vdi_tape_value(t, log_p).data, 0) == alone[1]);
    CHECK(vdi_dtype_load(VDI_F64, vdi_tape_value(t, log_p).data, 1) == alone[0]);
    CHECK_OK(vdi_tape_backward(t, vdi_var_sum(t, log_p)), err);
    CHECK(grad[0] != 0 && grad[4] != 0);
    model = squares;
    log_p = model(t, s, f, vdi_var_none(), &info, NULL, NULL);
    CHECK(vdi_var_dim(t, log_p, 0) == S && vdi_var_dim(t, log_p, 1) == B);
    vdi_tape_destroy(t);
}
