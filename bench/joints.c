/* bench/joints.c - five models that are given by nothing but their log density: bounds at the true
 * parameters, log p(y) by particles that the posterior guides, and learned parameters, each against
 * a bootstrap particle filter
 *
 *     make build/bench/joints QUESTIONS=joints
 *     build/bench/joints MODEL [particles=100000] [steps=400] [design=3] [learn=1] \
 *         [guided=0]
 *
 * MODEL: leverage, heavy, oscillator, gates, lorenz, or all. Each has 20 trials of 500 bins, drawn
 * from seed 1. The equations stand with the models below. Parameters are learned by the bound and,
 * with `guided`, from there on by that many particles. The likelihood is maximised by a quadratic
 * surface, fitted to its values at `design` points for each coefficient around those parameters,
 * and the standard errors come from that surface. Its values are unbiased particle estimates, of
 * particles that the learned posteriors guide and with the same random numbers at all parameters: a
 * bootstrap filter with ten times the particles scatters more.
 */
#include "bench.h"

enum { TRIALS = 20, BINS = 500, MOST = 3, FREE = 5 };

/* ======== words for log joints ================================================================ */

/* (S,B,.,1) to (S,B) */
static vdi_var total(vdi_tape *t, vdi_var x) {
    return vdi_var_sum_axis(t, vdi_var_sum_axis(t, x, 3, false), 2, false);
}
static vdi_var sum(vdi_tape *t, vdi_var a, vdi_var b, vdi_var c) {
    return vdi_var_add(t, vdi_var_add(t, total(t, a), total(t, b)), total(t, c));
}
/* Bins 1 .. T-1 (later) and 0 .. T-2 (earlier) along axis 2 of z or 1 of y. */
static vdi_var later(vdi_tape *t, vdi_var x) {
    const int axis = vdi_var_ndim(t, x) - 2;
    return vdi_var_slice(t, x, axis, 1, 1, vdi_var_dim(t, x, axis) - 1);
}
static vdi_var earlier(vdi_tape *t, vdi_var x) {
    const int axis = vdi_var_ndim(t, x) - 2;
    return vdi_var_slice(t, x, axis, 0, 1, vdi_var_dim(t, x, axis) - 1);
}
static vdi_var begin(vdi_tape *t, vdi_var z) { return vdi_var_slice(t, z, 2, 0, 1, 1); }
static vdi_var axis(vdi_tape *t, vdi_var z, int64_t k) { return vdi_var_slice(t, z, 3, k, 1, 1); }
static vdi_var number(vdi_tape *t, double x) { return vdi_tape_scalar(t, x); }
static vdi_var normal(vdi_tape *t, vdi_var x, vdi_var mean, vdi_var log_sd) {
    return vdi_var_normal_log_prob(t, x, mean, log_sd);
}

/* ======== the models ========================================================================== */

/* Stochastic volatility with leverage: phi = tanh p0, s = exp p1, mu = p2, rho = tanh p3;
 * h_1 ~ N(0, s^2/(1 - phi^2)), h_t = phi h_{t-1} + s (rho e_{t-1} + sqrt(1 - rho^2) n_t),
 * y_t = exp((mu + h_t)/2) e_t. */
static vdi_var leverage(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask, const vdi_trial_info *info,
                        void *user) {
    (void)user;
    vdi_var inside = vdi_trial_mask(t, info), zero = number(t, 0);
    vdi_var phi = vdi_var_tanh(t, vdi_trial_param(t, info, 0)), s = vdi_trial_param(t, info, 1);
    vdi_var rho = vdi_var_tanh(t, vdi_trial_param(t, info, 3));
    vdi_var sd = vdi_var_mul_scalar(t, vdi_var_add(t, z, vdi_trial_param(t, info, 2)), 0.5);
    vdi_var e = vdi_var_mul(t, y, vdi_var_exp(t, vdi_var_neg(t, sd)));
    vdi_var push = vdi_var_mul(t, earlier(t, e), vdi_var_mul(t, rho, vdi_var_exp(t, s)));
    vdi_var mean = vdi_var_add(t, vdi_var_mul(t, earlier(t, z), phi), push);
    vdi_var rest = vdi_var_log1p(t, vdi_var_neg(t, vdi_var_square(t, rho)));
    vdi_var width = vdi_var_add(t, s, vdi_var_mul_scalar(t, rest, 0.5));
    vdi_var left = vdi_var_log1p(t, vdi_var_neg(t, vdi_var_square(t, phi)));
    vdi_var start = vdi_var_sub(t, s, vdi_var_mul_scalar(t, left, 0.5));
    vdi_var move = vdi_var_mul(t, normal(t, later(t, z), mean, width), later(t, inside));
    return sum(t, vdi_var_mul(t, normal(t, y, zero, sd), mask), move,
               normal(t, begin(t, z), zero, start));
}
static void leverage_numbers(const double *p, double *c) {
    const double phi = tanh(p[0]), s = exp(p[1]), rho = tanh(p[3]);
    c[0] = phi;
    c[1] = s / sqrt(1 - phi * phi);
    c[2] = p[2];
    c[3] = s * rho;
    c[4] = s * sqrt(1 - rho * rho);
}
static void leverage_step(const double *c, double before, vdi_rng *rng, double *z, bool first) {
    const double n = vdi_rng_normal(rng);
    z[0] = first ? c[1] * n : c[0] * z[0] + c[3] * before * exp(-0.5 * (c[2] + z[0])) + c[4] * n;
}
static double leverage_log_p(const double *c, double y, const double *z) {
    const double variance = c[2] + z[0];
    return -0.5 * (y * y * exp(-variance) + VDI_LOG_2PI + variance);
}
static double leverage_draw(const double *c, const double *z, vdi_rng *rng) {
    return exp(0.5 * (c[2] + z[0])) * vdi_rng_normal(rng);
}

/* Ornstein-Uhlenbeck seen through Student's t: a = tanh p0, s = exp p1, w = exp p2, nu = exp p3;
 * z_1 ~ N(0, 1), z_t = a z_{t-1} + s n_t, y_t = z_t + w t_nu. */
static vdi_var heavy(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask, const vdi_trial_info *info,
                     void *user) {
    (void)user;
    vdi_var a = vdi_var_tanh(t, vdi_trial_param(t, info, 0)), zero = number(t, 0);
    vdi_var seen = vdi_var_student_t_log_prob(t, y, z, vdi_trial_param(t, info, 2),
                                              vdi_trial_param(t, info, 3));
    vdi_var move =
        normal(t, later(t, z), vdi_var_mul(t, earlier(t, z), a), vdi_trial_param(t, info, 1));
    return sum(t, vdi_var_mul(t, seen, mask),
               vdi_var_mul(t, move, later(t, vdi_trial_mask(t, info))),
               normal(t, begin(t, z), zero, zero));
}
static void heavy_numbers(const double *p, double *c) {
    const double nu = exp(p[3]);
    c[0] = tanh(p[0]);
    c[1] = exp(p[1]);
    c[2] = exp(p[2]);
    c[3] = nu;
    c[4] = lgamma(0.5 * (nu + 1)) - lgamma(0.5 * nu) - 0.5 * log(nu * VDI_PI) - p[2];
}
static void heavy_step(const double *c, double before, vdi_rng *rng, double *z, bool first) {
    (void)before;
    z[0] = first ? vdi_rng_normal(rng) : c[0] * z[0] + c[1] * vdi_rng_normal(rng);
}
static double heavy_log_p(const double *c, double y, const double *z) {
    const double e = (y - z[0]) / c[2];
    return c[4] - 0.5 * (c[3] + 1) * log1p(e * e / c[3]);
}
static double heavy_draw(const double *c, const double *z, vdi_rng *rng) {
    const double n = vdi_rng_normal(rng);
    return z[0] + c[2] * n / sqrt(2 * vdi_rng_gamma(rng, 0.5 * c[3]) / c[3]);
}

/* Van der Pol's oscillator: mu = p0, q = exp p1, r = exp p2, h = 0.1; z_1 ~ N(0, I),
 * x_t = x_{t-1} + h v_{t-1} + q n_t, v_t = v_{t-1} + h (mu (1 - x^2) v - x)_{t-1} + q n'_t,
 * y_t = x_t + r e_t. */
static vdi_var oscillator(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask,
                          const vdi_trial_info *info, void *user) {
    (void)user;
    vdi_var zero = number(t, 0), old = earlier(t, z), x = axis(t, old, 0), v = axis(t, old, 1);
    vdi_var damp =
        vdi_var_mul(t, vdi_trial_param(t, info, 0),
                    vdi_var_mul(t, vdi_var_scale_shift(t, vdi_var_square(t, x), -1, 1), v));
    vdi_var rate[2] = {v, vdi_var_sub(t, damp, x)};
    vdi_var mean = vdi_var_add(t, old, vdi_var_mul_scalar(t, vdi_var_concat(t, rate, 2, 3), 0.1));
    vdi_var move = normal(t, later(t, z), mean, vdi_trial_param(t, info, 1));
    return sum(t, vdi_var_mul(t, normal(t, y, axis(t, z, 0), vdi_trial_param(t, info, 2)), mask),
               vdi_var_mul(t, move, later(t, vdi_trial_mask(t, info))),
               normal(t, begin(t, z), zero, zero));
}
static void oscillator_numbers(const double *p, double *c) {
    c[0] = p[0];
    c[1] = exp(p[1]);
    c[2] = exp(p[2]);
    c[3] = p[2] + 0.5 * VDI_LOG_2PI;
}
static void oscillator_step(const double *c, double before, vdi_rng *rng, double *z, bool first) {
    const double q = first ? 1 : c[1], x = z[0], v = z[1];
    (void)before;
    z[0] = (first ? 0 : x + 0.1 * v) + q * vdi_rng_normal(rng);
    z[1] = (first ? 0 : v + 0.1 * (c[0] * (1 - x * x) * v - x)) + q * vdi_rng_normal(rng);
}
static double oscillator_log_p(const double *c, double y, const double *z) {
    const double e = (y - z[0]) / c[2];
    return -0.5 * e * e - c[3];
}
static double oscillator_draw(const double *c, const double *z, vdi_rng *rng) {
    return z[0] + c[2] * vdi_rng_normal(rng);
}

/* An autoregression that switches softly: a = tanh p0, b = tanh p1, s = exp p2, r = exp p3; a gate
 * g_t = 0.97 g_{t-1} + 0.5 n_t, x_t = (a + (b - a) sigmoid g_{t-1}) x_{t-1} + s n'_t,
 * y_t = x_t + r e_t; z_1 ~ N(0, I). */
static vdi_var gates(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask, const vdi_trial_info *info,
                     void *user) {
    (void)user;
    vdi_var zero = number(t, 0), old = earlier(t, z), inside = later(t, vdi_trial_mask(t, info));
    vdi_var g = axis(t, old, 0), x = axis(t, old, 1), a = vdi_trial_param(t, info, 0);
    a = vdi_var_tanh(t, a);
    vdi_var b = vdi_var_sub(t, vdi_var_tanh(t, vdi_trial_param(t, info, 1)), a);
    vdi_var slope = vdi_var_add(t, vdi_var_mul(t, vdi_var_sigmoid(t, g), b), a);
    vdi_var gate =
        normal(t, axis(t, later(t, z), 0), vdi_var_mul_scalar(t, g, 0.97), number(t, log(0.5)));
    vdi_var move =
        normal(t, axis(t, later(t, z), 1), vdi_var_mul(t, x, slope), vdi_trial_param(t, info, 2));
    vdi_var seen = normal(t, y, axis(t, z, 1), vdi_trial_param(t, info, 3));
    return sum(t, vdi_var_mul(t, seen, mask), vdi_var_mul(t, vdi_var_add(t, gate, move), inside),
               normal(t, begin(t, z), zero, zero));
}
static void gates_numbers(const double *p, double *c) {
    c[0] = tanh(p[0]);
    c[1] = tanh(p[1]) - c[0];
    c[2] = exp(p[3]);
    c[3] = p[3] + 0.5 * VDI_LOG_2PI;
    c[4] = exp(p[2]);
}
static void gates_step(const double *c, double before, vdi_rng *rng, double *z, bool first) {
    const double slope = c[0] + c[1] / (1 + exp(-z[0]));
    (void)before;
    z[1] = (first ? 0 : slope * z[1]) + (first ? 1 : c[4]) * vdi_rng_normal(rng);
    z[0] = (first ? 0 : 0.97 * z[0]) + (first ? 1 : 0.5) * vdi_rng_normal(rng);
}
static double gates_log_p(const double *c, double y, const double *z) {
    return oscillator_log_p(c, y, z + 1);
}
static double gates_draw(const double *c, const double *z, vdi_rng *rng) {
    return oscillator_draw(c, z + 1, rng);
}

/* Lorenz's system by Euler steps of 0.02: rho = 10 p0, q = exp p1, r = exp p2;
 * x' = 10 (y - x), y' = x (rho - z) - y, z' = x y - 8/3 z, each with noise q n_t; the first bin
 * N((0, 0, 25), 25 I); x is seen with noise r. */
static vdi_var lorenz(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask, const vdi_trial_info *info,
                      void *user) {
    static double centre[3] = {0, 0, 25};
    (void)user;
    vdi_var old = earlier(t, z), x[3];
    for (int k = 0; k < 3; k++)
        x[k] = axis(t, old, k);
    vdi_var rho = vdi_var_mul_scalar(t, vdi_trial_param(t, info, 0), 10);
    vdi_var rate[3] = {
        vdi_var_mul_scalar(t, vdi_var_sub(t, x[1], x[0]), 10),
        vdi_var_sub(t, vdi_var_mul(t, x[0], vdi_var_sub(t, rho, x[2])), x[1]),
        vdi_var_sub(t, vdi_var_mul(t, x[0], x[1]), vdi_var_mul_scalar(t, x[2], 8.0 / 3))};
    vdi_var mean = vdi_var_add(t, old, vdi_var_mul_scalar(t, vdi_var_concat(t, rate, 3, 3), 0.02));
    vdi_var move = normal(t, later(t, z), mean, vdi_trial_param(t, info, 1));
    vdi_var first = normal(t, begin(t, z), vdi_tape_constant(t, vdi_tensor_1d(centre, VDI_F64, 3)),
                           number(t, log(5)));
    return sum(t, vdi_var_mul(t, normal(t, y, axis(t, z, 0), vdi_trial_param(t, info, 2)), mask),
               vdi_var_mul(t, move, later(t, vdi_trial_mask(t, info))), first);
}
static void lorenz_numbers(const double *p, double *c) {
    oscillator_numbers(p, c);
    c[0] = 10 * p[0];
}
static void lorenz_step(const double *c, double before, vdi_rng *rng, double *z, bool first) {
    const double q = first ? 5 : c[1], x = z[0], y = z[1], w = z[2];
    (void)before;
    z[0] = (first ? 0 : x + 0.2 * (y - x)) + q * vdi_rng_normal(rng);
    z[1] = (first ? 0 : y + 0.02 * (x * (c[0] - w) - y)) + q * vdi_rng_normal(rng);
    z[2] = (first ? 25 : w + 0.02 * (x * y - 8.0 / 3 * w)) + q * vdi_rng_normal(rng);
}

typedef struct joint_model {
    const char *name;
    int64_t d;
    int free;
    const char *param[FREE];
    double truth[FREE], start[FREE];
    vdi_log_joint_fn log_joint;
    void (*numbers)(const double *p, double *c); /* what the next three need of the parameters */
    /* z of the next bin, given y of this one; or of the first bin */
    void (*step)(const double *c, double before, vdi_rng *rng, double *z, bool first);
    double (*log_p)(const double *c, double y, const double *z);
    double (*draw)(const double *c, const double *z, vdi_rng *rng);
} joint_model;

static const joint_model models[] = {
    {"leverage",
     1,
     4,
     {"atanh phi", "log s", "mu", "atanh rho"},
     {1.831781, -1.203973, -1, -0.693147},
     {1, -1, 0, 0},
     leverage,
     leverage_numbers,
     leverage_step,
     leverage_log_p,
     leverage_draw},
    {"heavy",
     1,
     4,
     {"atanh a", "log s", "log w", "log nu"},
     {1.831781, -1.203973, -0.916291, 1.098612},
     {1, -1, -0.5, 2},
     heavy,
     heavy_numbers,
     heavy_step,
     heavy_log_p,
     heavy_draw},
    {"oscillator",
     2,
     3,
     {"mu", "log q", "log r"},
     {1.5, -2.302585, -1.203973},
     {1, -1.5, -1},
     oscillator,
     oscillator_numbers,
     oscillator_step,
     oscillator_log_p,
     oscillator_draw},
    {"gates",
     2,
     4,
     {"atanh a", "atanh b", "log s", "log r"},
     {-0.549306, 1.472219, -0.693147, -1.203973},
     {0, 1, -0.5, -1},
     gates,
     gates_numbers,
     gates_step,
     gates_log_p,
     gates_draw},
    {"lorenz",
     3,
     3,
     {"rho / 10", "log q", "log r"},
     {2.8, -1.203973, 0},
     {2.5, -0.5, 0.3},
     lorenz,
     lorenz_numbers,
     lorenz_step,
     oscillator_log_p,
     oscillator_draw},
};

/* ======== the filter ========================================================================== */

static double y[TRIALS * BINS];

static void simulate(const joint_model *m) {
    double c[FREE];
    m->numbers(m->truth, c);
    for (int b = 0; b < TRIALS; b++) {
        vdi_rng rng = vdi_rng_make(1, (uint64_t)b);
        double z[MOST] = {0};
        for (int i = 0; i < BINS; i++) {
            m->step(c, i ? y[b * BINS + i - 1] : 0, &rng, z, i == 0);
            y[b * BINS + i] = m->draw(c, z, &rng);
        }
    }
}

/* log p(y) of a trial by a bootstrap filter with systematic resampling. */
static double filter(const joint_model *m, const double *trial, int64_t count, vdi_rng rng) {
    const int64_t d = m->d;
    double *z = (double *)bench_alloc((size_t)(2 * count * d) * sizeof *z), *next = z + count * d;
    double *w = (double *)bench_alloc((size_t)count * sizeof *w), log_p = 0, c[FREE];
    m->numbers(m->truth, c);
    memset(z, 0, (size_t)(count * d) * sizeof *z);
    for (int t = 0; t < BINS; t++) {
        double top = -HUGE_VAL, all = 0;
        for (int64_t k = 0; k < count; k++) {
            m->step(c, t ? trial[t - 1] : 0, &rng, z + k * d, t == 0);
            w[k] = m->log_p(c, trial[t], z + k * d);
            top = VDI__MAX(top, w[k]);
        }
        for (int64_t k = 0; k < count; k++)
            all += w[k] = exp(w[k] - top);
        log_p += top + log(all / (double)count);
        const double u = vdi_rng_uniform(&rng), share = all / (double)count;
        double reach = w[0];
        for (int64_t k = 0, from = 0; k < count; k++) {
            while (reach < ((double)k + u) * share && from < count - 1)
                reach += w[++from];
            memcpy(next + k * d, z + from * d, (size_t)d * sizeof *z);
        }
        double *swap = z;
        z = next;
        next = swap;
    }
    free(VDI__MIN(z, next));
    free(w);
    return log_p;
}

static double filter_all(const joint_model *m, int64_t count, uint64_t seed) {
    double all = 0;
    for (int b = 0; b < TRIALS; b++)
        all += filter(m, y + b * BINS, count, vdi_rng_make(seed, (uint64_t)b));
    return all;
}

static vdi_error err;
static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

/* ======== the maximum of log p(y) ============================================================= */

enum { TERMS = 1 + FREE + FREE * (FREE + 1) / 2 };

/* A likelihood: a model whose parameters are set, and the posteriors that guide its particles. */
typedef struct likelihood {
    const joint_model *m;
    vdi_vilds *model;
    vdi_vilds_data *data;
} likelihood;

static double *parameter(const likelihood *l, int i) {
    return (double *)vdi_params_find(vdi_vilds_params(l->model), l->m->param[i])->value.data;
}

/* log p(y) of all trials by the particles of seed 5, whatever the parameters. */
static double log_p_at(const likelihood *l, const double *p) {
    const vdi_vilds_particles few = {.count = 50, .runs = 2, .seed = 5};
    double log_p[TRIALS], all = 0;
    for (int i = 0; i < l->m->free; i++)
        *parameter(l, i) = p[i];
    need(vdi_vilds_log_p(l->model, l->data, NULL, &few, log_p, NULL, &err));
    for (int b = 0; b < TRIALS; b++)
        all += log_p[b];
    return all;
}

/* The same with 1000 particles along posteriors from rest, and its standard error. */
static double log_p_precise(const likelihood *l, const double *p, double *se) {
    const vdi_vilds_particles many = {.count = 250, .runs = 4, .seed = 9};
    const vdi_vilds_query q = {.refine = 16, .rest = true, .samples = 16};
    double log_p[TRIALS], each[TRIALS], all = 0, squares = 0;
    for (int i = 0; i < l->m->free; i++)
        *parameter(l, i) = p[i];
    need(vdi_vilds_log_p(l->model, l->data, &q, &many, log_p, each, &err));
    for (int b = 0; b < TRIALS; b++) {
        all += log_p[b];
        squares += each[b] * each[b];
    }
    *se = sqrt(squares);
    return all;
}

/* 1, x_i, x_i x_j: how many. */
static int terms(int n, const double *x, double *f) {
    int at = 0;
    f[at++] = 1;
    for (int i = 0; i < n; i++)
        f[at++] = x[i];
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++)
            f[at++] = x[i] * x[j];
    return at;
}

/* How far each parameter moves for the likelihood to fall by some 2 nats. */
static void widths(const likelihood *l, const double *centre, double *width) {
    const double here = log_p_at(l, centre);
    for (int i = 0; i < l->m->free; i++) {
        width[i] = 0.05;
        for (int k = 0; k < 5; k++) {
            double p[FREE];
            memcpy(p, centre, sizeof p);
            p[i] += width[i];
            double fall = here - log_p_at(l, p);
            p[i] -= 2 * width[i];
            fall = 0.5 * (fall + here - log_p_at(l, p));
            if (fall > 1 && fall < 6) break;
            width[i] *= fall > 0.1 ? VDI__MIN(VDI__MAX(sqrt(2 / fall), 0.25), 4) : 3;
        }
    }
}

/* The surface's coefficients from its values at `design` points each; how far the values are from
 * it. */
static double surface(const likelihood *l, const double *centre, const double *width, int design,
                      double *b) {
    double A[TERMS * TERMS] = {0}, f[TERMS], x[FREE] = {0}, p[FREE], squares = 0;
    vdi_rng rng = vdi_rng_make(3, 0);
    const int n = l->m->free, count = terms(n, x, f);
    const double here = log_p_at(l, centre);
    memset(b, 0, TERMS * sizeof *b);
    for (int k = 0; k < design * count; k++) {
        for (int i = 0; i < n; i++) {
            x[i] = vdi_rng_normal(&rng);
            p[i] = centre[i] + width[i] * x[i];
        }
        const double value = log_p_at(l, p) - here;
        (void)terms(n, x, f);
        squares += value * value;
        for (int i = 0; i < count; i++) {
            b[i] += f[i] * value;
            for (int j = 0; j < count; j++)
                A[i * count + j] += f[i] * f[j];
        }
    }
    double moment[TERMS];
    memcpy(moment, b, sizeof moment);
    need(vdi_cholesky(VDI_F64, (size_t)count, A, (size_t)count, &err));
    vdi_cholesky_solve(VDI_F64, (size_t)count, 1, A, (size_t)count, b, 1);
    for (int i = 0; i < count; i++)
        squares -= b[i] * moment[i];
    return sqrt(VDI__MAX(squares, 0) / ((design - 1) * count));
}

/* The maximum of a quadratic surface and its standard errors. */
static void maximise(const likelihood *l, const double *centre, int design, double *best,
                     double *se) {
    double width[FREE], b[TERMS], H[FREE * FREE], inv[FREE * FREE], x[FREE];
    const int n = l->m->free;
    const size_t N = (size_t)n;
    const double begin = (double)clock();
    widths(l, centre, width);
    const double off = surface(l, centre, width, design, b);
    for (int i = 0, at = 1 + n; i < n; i++)
        for (int j = 0; j <= i; j++, at++)
            H[i * n + j] = H[j * n + i] = i == j ? -2 * b[at] : -b[at];
    memcpy(x, b + 1, N * sizeof *x);
    need(vdi_cholesky(VDI_F64, N, H, N, &err));
    vdi_cholesky_solve(VDI_F64, N, 1, H, N, x, 1);
    vdi_cholesky_inverse(VDI_F64, N, H, N, inv, N);
    for (int i = 0; i < n; i++) {
        best[i] = centre[i] + width[i] * x[i];
        se[i] = width[i] * sqrt(inv[i * n + i]);
    }
    printf("%-10s likelihood maximised in %.1f s, a value off the surface by %.2f nats\n",
           l->m->name, ((double)clock() - begin) / CLOCKS_PER_SEC, off);
}

/* ======== one model =========================================================================== */

static vdi_vilds *make(const joint_model *m, const double *p, vdi_vilds_data **data) {
    vdi_param_desc list[FREE];
    vdi_vilds_desc desc = {.d = m->d, .n = 1, .log_joint = m->log_joint, .user_params = list};
    vdi_vilds_data_desc dd = {.y = vdi_tensor_3d(y, VDI_F64, TRIALS, BINS, 1)};
    vdi_vilds *model;
    desc.user_param_count = m->free;
    desc.dtype = VDI_F64;
    for (int i = 0; i < m->free; i++)
        list[i] = vdi_param_1d(m->param[i], VDI_INIT_CONSTANT, p[i], 1);
    need(vdi_vilds_create(&desc, &model, &err));
    need(vdi_vilds_data_create(model, &dd, data, &err));
    need(vdi_vilds_init(model, *data, 0, &err));
    return model;
}

static double cpu(void) { return (double)clock() / CLOCKS_PER_SEC; }

static void at_truth(const joint_model *m, int64_t particles) {
    vdi_vilds_data *data;
    vdi_vilds *model = make(m, m->truth, &data);
    vdi_vilds_query q = {.refine = 16, .rest = true, .samples = 16};
    double log_p[TRIALS], se[TRIALS], elbo[TRIALS], bound = 0, twisted = 0, error = 0;
    vdi_vilds_result out = {.elbo = elbo};
    const vdi_vilds_particles few = {.count = 250};
    double begin = cpu();
    need(vdi_vilds_infer(model, data, &q, &out, &err));
    const double first = cpu() - begin;
    begin = cpu();
    need(vdi_vilds_log_p(model, data, &q, &few, log_p, se, &err));
    const double second = cpu() - begin;
    for (int b = 0; b < TRIALS; b++) {
        bound += elbo[b] / (TRIALS * BINS);
        twisted += log_p[b] / (TRIALS * BINS);
        error += se[b] * se[b];
    }
    begin = cpu();
    const double filtered = filter_all(m, particles, 7) / (TRIALS * BINS);
    printf("%-10s filter(%lld) %.5f  bound %.5f  twisted %.5f +- %.5f  seconds %.1f %.1f (filter "
           "%.1f)\n",
           m->name, (long long)particles, filtered, bound, twisted, sqrt(error) / (TRIALS * BINS),
           first, second, cpu() - begin);
    fflush(stdout);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(model);
}

/* By the bound, then with `guided` particles of each trial (0: not), against the likelihood. */
static void learn(const joint_model *m, int64_t steps, int design, int64_t guided) {
    vdi_vilds_data *data;
    vdi_vilds *model = make(m, m->start, &data);
    const likelihood l = {m, model, data};
    vdi_vilds_natural how = {.steps = steps, .samples = 4, .rate = 0.1};
    double p[FREE] = {0}, bound[FREE] = {0}, best[FREE], se[FREE], elbo;
    const double begin = cpu();
    need(vdi_vilds_fit_natural(model, data, &how, NULL, NULL, &err));
    const double seconds = cpu() - begin;
    need(vdi_vilds_score(model, data, NULL, &elbo, &err));
    printf("%-10s learned in %.1f s, bound %.5f\n", m->name, seconds, elbo);
    for (int i = 0; i < m->free; i++)
        bound[i] = *parameter(&l, i);
    if (guided > 0) {
        how.particles = guided;
        how.samples = 8;
        how.steps = 80;
        need(vdi_vilds_fit_natural(model, data, &how, NULL, NULL, &err));
        printf("%-10s by %lld particles in %.1f s\n", m->name, (long long)guided,
               cpu() - begin - seconds);
    }
    for (int i = 0; i < m->free; i++)
        p[i] = *parameter(&l, i);
    if (guided > 0) {
        double of_bound, of_particles;
        const double at_bound = log_p_precise(&l, bound, &of_bound);
        const double at_particles = log_p_precise(&l, p, &of_particles);
        printf("%-10s log p %.2f +- %.2f by the bound, %.2f +- %.2f by particles\n", m->name,
               at_bound, of_bound, at_particles, of_particles);
    }
    if (design) maximise(&l, p, design, best, se);
    for (int i = 0; i < m->free; i++) {
        printf("%-10s   %-10s true %8.4f  bound %8.4f", m->name, m->param[i], m->truth[i],
               bound[i]);
        if (guided > 0) printf("  particles %8.4f", p[i]);
        if (design) {
            printf("  filter %8.4f +- %.4f  apart %.2f", best[i], se[i],
                   (bound[i] - best[i]) / se[i]);
        }
        if (design && guided > 0) printf(" %.2f", (p[i] - best[i]) / se[i]);
        puts("");
    }
    fflush(stdout);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(model);
}

int main(int argc, char **argv) {
    double option[5] = {100000, 400, 3, 1, 0};
    static const char *const name[5] = {"particles=", "steps=", "design=", "learn=", "guided="};
    for (int i = 2; i < argc; i++) {
        for (int k = 0; k < 5; k++) {
            if (!strncmp(argv[i], name[k], strlen(name[k])))
                option[k] = atof(argv[i] + strlen(name[k]));
        }
    }
    for (size_t k = 0; argc > 1 && k < VDI__COUNT(models); k++) {
        if (strcmp(argv[1], "all") && strcmp(argv[1], models[k].name)) continue;
        simulate(&models[k]);
        if (option[0] > 0) at_truth(&models[k], (int64_t)option[0]);
        if (option[3] > 0)
            learn(&models[k], (int64_t)option[1], (int)option[2], (int64_t)option[4]);
    }
    return argc > 1 ? 0 : 2;
}
