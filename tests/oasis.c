/* tests/oasis.c - deconvolution against certificates of optimality, an exact active-set solver, and
 * the recordings' known scores
 */
#include "check.h"

typedef struct trace {
    int T;
    double d, r, fps, y[1200], s[1200], noise, b;
} trace;

/* calcium of an AR process with Poisson-like spikes of unequal size */
static trace simulate(unsigned long long *seed, int T, int order) {
    trace x;
    double c1 = 0, c2 = 0;
    memset(&x, 0, sizeof x);
    x.T = T;
    x.fps = 30;
    x.d = 0.7 + 0.29 * test_uniform(seed);
    x.r = order == 2 ? (0.1 + 0.8 * test_uniform(seed)) * x.d : 0;
    x.noise = 0.05 + 0.5 * test_uniform(seed);
    x.b = test_normal(seed);
    const double rate = 0.02 + 0.2 * test_uniform(seed);
    for (int t = 0; t < T; t++) {
        x.s[t] = test_uniform(seed) < rate ? 0.5 + test_uniform(seed) : 0;
        const double c = x.s[t] + (x.d + x.r) * c1 - x.d * x.r * c2;
        x.y[t] = x.b + c + x.noise * test_normal(seed);
        c2 = c1;
        c1 = c;
    }
    return x;
}

static double tau(double root, double fps) { return -1 / (fps * log(root)); }

static vdi_oasis_desc describe(const trace *x, int order) {
    vdi_oasis_desc d = vdi_oasis_desc_defaults();
    d.fps = x->fps;
    d.order = order;
    d.noise = x->noise;
    d.tau_decay = tau(x->d, x->fps);
    if (order == 2) d.tau_rise = tau(x->r, x->fps);
    return d;
}

/* How far c may be from the optimum of 1/2 |y - b - c|^2 + lambda 1'Gc over Gc >= 0: its objective
 * minus that of a dual point, by weak duality. The dual point is made from c alone, so this trusts
 * nothing of the solver. */
static double duality_gap(const trace *x, int order, const vdi_oasis_result *r, const double *c,
                          double *objective) {
    const int T = x->T;
    const double g1 = r->decay + (order == 2 ? r->rise : 0);
    const double g2 = order == 2 ? -r->decay * r->rise : 0;
    static double z[1200], g[1200];
    double primal = 0, dual = 0;
    for (int t = T - 1; t >= 0; t--) { /* z = lambda + G^{-T}(c - x), not below 0 */
        z[t] = c[t] - x->y[t] + r->baseline + (t + 1 < T ? g1 * z[t + 1] : 0) +
               (t + 2 < T ? g2 * z[t + 2] : 0);
    }
    for (int t = 0; t < T; t++)
        z[t] = fmax(z[t] + r->lambda, 0);
    for (int t = 0; t < T; t++) {
        const double s = c[t] - (t ? g1 * c[t - 1] : 0) - (t > 1 ? g2 * c[t - 2] : 0);
        const double target = x->y[t] - r->baseline;
        CHECK(s > -1e-9, "spike %d is %g", t, s);
        primal += 0.5 * (target - c[t]) * (target - c[t]) + r->lambda * fmax(s, 0);
        g[t] = z[t] - r->lambda;
    }
    for (int t = 0; t < T; t++) {
        const double target = x->y[t] - r->baseline;
        const double at =
            target + g[t] - (t + 1 < T ? g1 * g[t + 1] : 0) - (t + 2 < T ? g2 * g[t + 2] : 0);
        dual += 0.5 * target * target - 0.5 * at * at;
    }
    *objective = primal;
    return primal - dual;
}

enum { NNLS_MOST = 40 };

/* z of the n chosen variables without their constraint: H z = q among them, by elimination. */
static void solve_chosen(int n, const int *list, double H[][NNLS_MOST], const double *q,
                         double *z) {
    static double A[NNLS_MOST][NNLS_MOST + 1];
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++)
            A[i][j] = H[list[i]][list[j]];
        A[i][n] = q[list[i]];
    }
    for (int i = 0; i < n; i++) {
        for (int k = i + 1; k < n; k++) {
            const double f = A[k][i] / A[i][i];
            for (int j = i; j <= n; j++)
                A[k][j] -= f * A[i][j];
        }
    }
    for (int i = n - 1; i >= 0; i--) {
        z[i] = A[i][n];
        for (int j = i + 1; j < n; j++)
            z[i] -= A[i][j] * z[j];
        z[i] /= A[i][i];
    }
}

/* Goes to the best point of the chosen variables, leaving out those that would become negative. */
static void descend(int T, bool *in, double H[][NNLS_MOST], const double *q, double *s) {
    double step = 0;
    while (step < 1) {
        int list[NNLS_MOST], n = 0;
        double z[NNLS_MOST];
        step = 1;
        for (int i = 0; i < T; i++)
            if (in[i]) list[n++] = i;
        solve_chosen(n, list, H, q, z);
        for (int i = 0; i < n; i++)
            if (z[i] <= 0) step = fmin(step, s[list[i]] / (s[list[i]] - z[i]));
        for (int i = 0; i < n; i++)
            s[list[i]] += step * (z[i] - s[list[i]]);
        for (int i = 0; i < n && step < 1; i++) {
            if (s[list[i]] < 1e-13) {
                s[list[i]] = 0;
                in[list[i]] = false;
            }
        }
    }
}

/* Lawson and Hanson 1974, densely: min 1/2 |x - K s|^2 + lambda 1's over s >= 0. Returns the
 * objective. */
static double nnls(const trace *x, double d, double r, double b, double lambda) {
    static double K[NNLS_MOST][NNLS_MOST], H[NNLS_MOST][NNLS_MOST];
    double q[NNLS_MOST], s[NNLS_MOST];
    bool in[NNLS_MOST] = {false};
    const int T = x->T;
    for (int t = 0; t < T; t++) {
        for (int j = 0; j < T; j++) {
            const int k = t - j;
            K[t][j] = k < 0 ? 0 : r > 0 ? (pow(d, k + 1) - pow(r, k + 1)) / (d - r) : pow(d, k);
        }
    }
    for (int i = 0; i < T; i++) {
        s[i] = 0;
        q[i] = -lambda;
        for (int t = 0; t < T; t++)
            q[i] += K[t][i] * (x->y[t] - b);
        for (int j = 0; j < T; j++) {
            H[i][j] = 0;
            for (int t = 0; t < T; t++)
                H[i][j] += K[t][i] * K[t][j];
        }
    }
    for (int round = 0; round < 10 * NNLS_MOST; round++) {
        int best = -1;
        double most = 1e-10;
        for (int i = 0; i < T; i++) {
            double g = q[i];
            for (int j = 0; j < T; j++)
                g -= H[i][j] * s[j];
            if (!in[i] && g > most) {
                most = g;
                best = i;
            }
        }
        if (best < 0) break;
        in[best] = true;
        descend(T, in, H, q, s);
    }
    double objective = 0;
    for (int t = 0; t < T; t++) {
        double c = 0;
        for (int j = 0; j < T; j++)
            c += K[t][j] * s[j];
        objective += 0.5 * (x->y[t] - b - c) * (x->y[t] - b - c) + lambda * s[t];
    }
    return objective;
}

/* Both orders: lambda and baseline given, lambda given with a free baseline, and both from the
 * noise. */
TEST(oasis, l1_is_exact) {
    unsigned long long seed = 2024;
    const size_t cases = test_scaled(1000);
    static double c[1200], s[1200];
    for (size_t i = 0; i < cases; i++) {
        for (int order = 1; order <= 2; order++) {
            if (order == 2 && i % 8) continue;
            const int T = 20 + (int)(test_uniform(&seed) * (i % 10 ? 80 : 1100));
            const int kind = (int)(i % 3);
            trace x = simulate(&seed, T, order);
            vdi_oasis_desc desc = describe(&x, order);
            vdi_oasis_result r;
            vdi_error err = {0};
            double objective, residual = 0, sum = 0;
            if (kind == 0) {
                desc.has_baseline = true;
                desc.baseline = x.b;
            }
            if (kind <= 1) {
                desc.has_lambda = true;
                desc.lambda = i % 7 ? 3 * x.noise * test_uniform(&seed) + 1e-3 : i % 2 ? 1e3 : 0;
            }
            CHECK_OK(vdi_oasis(&desc, VDI_F64, T, x.y, NULL, c, s, &r, &err), err);
            const double gap = duality_gap(&x, order, &r, c, &objective);
            const double allowed = 1e-8 * fmax(objective, 1);
            CHECK(gap <= allowed && gap > -allowed,
                  "case %d, order %d, kind %d: gap %g of %g, lambda %g", (int)i, order, kind, gap,
                  objective, r.lambda);
            CHECK_CLOSE(r.objective, objective, 1e-8 * fmax(objective, 1));
            for (int t = 0; t < T; t++) {
                residual += pow(x.y[t] - r.baseline - c[t], 2);
                sum += x.y[t] - r.baseline - c[t];
            }
            CHECK_CLOSE(r.residual, residual, 1e-9 * residual + 1e-12);
            /* the baseline is the best one */
            if (kind >= 1 && r.lambda > 0) CHECK_CLOSE(sum, 0, 1e-5 * T);
            if (kind == 2 && r.lambda > 2e-3 * x.noise && r.events)
                CHECK_CLOSE(residual, x.noise * x.noise * T, 2e-7 * residual);
            if (kind == 2 && r.events) CHECK(residual >= x.noise * x.noise * T * (1 - 2e-7));
        }
    }
}

TEST(oasis, l1_against_active_sets) {
    unsigned long long seed = 77;
    const size_t cases = test_scaled(150);
    double c[40];
    for (size_t i = 0; i < cases; i++) {
        for (int order = 1; order <= 2; order++) {
            trace x = simulate(&seed, 40, order);
            vdi_oasis_desc desc = describe(&x, order);
            vdi_oasis_result r;
            vdi_error err = {0};
            desc.has_baseline = true;
            desc.baseline = x.b;
            desc.has_lambda = true;
            desc.lambda = (double)(i % 5) * 0.5 * x.noise;
            CHECK_OK(vdi_oasis(&desc, VDI_F64, 40, x.y, NULL, c, NULL, &r, &err), err);
            const double exact = nnls(&x, r.decay, r.rise, x.b, desc.lambda);
            CHECK_CLOSE(r.objective, exact, 1e-8 * fmax(exact, 1));
        }
    }
}

/* Of all b and lambda that leave noise^2 T, the sum of spikes is the least: any other feasible b
 * has a larger one. */
TEST(oasis, constraint_is_sparsest) {
    unsigned long long seed = 5;
    static double c[600], s[600];
    for (int i = 0; i < 10; i++) {
        trace x = simulate(&seed, 600, 1);
        vdi_oasis_desc desc = describe(&x, 1);
        vdi_oasis_result r, other;
        vdi_error err = {0};
        desc.noise = x.noise * 1.02;
        CHECK_OK(vdi_oasis(&desc, VDI_F64, x.T, x.y, NULL, c, s, &r, &err), err);
        const double total = (r.objective - 0.5 * r.residual) / r.lambda;
        for (int k = -1; k <= 1; k += 2) {
            desc.has_baseline = true;
            desc.baseline = r.baseline + 0.05 * k * x.noise;
            CHECK_OK(vdi_oasis(&desc, VDI_F64, x.T, x.y, NULL, c, s, &other, &err), err);
            CHECK((other.objective - 0.5 * other.residual) / other.lambda > total,
                  "baseline %g has fewer spikes than %g", desc.baseline, r.baseline);
        }
    }
}

TEST(oasis, l0_keeps_its_promises) {
    unsigned long long seed = 31;
    static double c[1000], s[1000];
    double found = 0, true_ones = 0;
    for (int i = 0; i < 20; i++) {
        for (int order = 1; order <= 2; order++) {
            trace x = simulate(&seed, 1000, order);
            vdi_oasis_desc desc = describe(&x, order);
            vdi_oasis_result r;
            vdi_error err = {0};
            desc.penalty = VDI_OASIS_L0;
            for (int given = 0; given < 2; given++) {
                desc.s_min = given ? 0.4 : 0;
                CHECK_OK(vdi_oasis(&desc, VDI_F64, x.T, x.y, NULL, c, s, &r, &err), err);
                for (int t = 1; t < x.T; t++) {
                    CHECK(s[t] == 0 || s[t] >= r.s_min * (1 - 1e-6) - 1e-9, "spike %g below %g",
                          s[t], r.s_min);
                }
                if (!given && r.s_min > 0) {
                    CHECK(r.residual <= x.noise * x.noise * x.T * 1.02, "%g above %g", r.residual,
                          x.noise * x.noise * x.T);
                }
                if (given && x.noise < 0.15 && order == 1) { /* nothing is hard here */
                    for (int t = 1; t < x.T; t++) {
                        found += s[t] > 0 && x.s[t] > 0;
                        true_ones += x.s[t] > 0;
                    }
                    CHECK_CLOSE(r.baseline, x.b, 0.2);
                }
            }
        }
    }
    CHECK(found > 0.8 * true_ones, "%g of %g", found, true_ones);
}

/* With the baseline given, too, the pools are made once, and keep the same promise. */
TEST(oasis, l0_of_what_is_given) {
    unsigned long long seed = 41;
    static double c[1000], s[1000];
    for (int i = 0; i < 20; i++) {
        trace x = simulate(&seed, 1000, 1 + i % 2);
        vdi_oasis_desc desc = describe(&x, 1 + i % 2);
        vdi_oasis_result r, found;
        vdi_error err = {0};
        desc.penalty = VDI_OASIS_L0;
        desc.s_min = 0.4;
        CHECK_OK(vdi_oasis(&desc, VDI_F64, x.T, x.y, NULL, c, s, &found, &err), err);
        desc.has_baseline = true;
        desc.baseline = found.baseline;
        CHECK_OK(vdi_oasis(&desc, VDI_F64, x.T, x.y, NULL, c, s, &r, &err), err);
        CHECK(r.baseline == found.baseline && r.iterations == 1, "%d rounds", r.iterations);
        CHECK(fabs(r.residual / found.residual - 1) < 0.2, "%g, %g", r.residual, found.residual);
        double rest = 0;
        for (int t = 0; t < x.T; t++) {
            const double left = x.y[t] - r.baseline - c[t];
            rest += left * left;
            CHECK(t == 0 || s[t] == 0 || s[t] >= 0.4 * (1 - 1e-6), "spike %g", s[t]);
        }
        CHECK_CLOSE(r.residual, rest, 1e-9 * rest);
    }
}

TEST(oasis, estimates) {
    unsigned long long seed = 8;
    static double y[20000], c[20000], s[20000], work[20001];
    vdi_error err = {0};
    vdi_oasis_result r;
    for (int order = 1; order <= 2; order++) {
        for (int mad = 0; mad < 2; mad++) {
            const double d = exp(-1 / (30 * 0.8)), rise = order == 2 ? exp(-1 / (30 * 0.1)) : 0;
            double c1 = 0, c2 = 0;
            for (int t = 0; t < 20000; t++) {
                const double now = (test_uniform(&seed) < 0.006) + (d + rise) * c1 - d * rise * c2;
                y[t] = 3 + now + 0.2 * test_normal(&seed);
                c2 = c1;
                c1 = now;
            }
            CHECK_CLOSE(
                vdi_oasis_noise_of(mad ? VDI_OASIS_MAD : VDI_OASIS_SPECTRUM, 20000, y, work), 0.2,
                mad ? 0.04 : 0.01);
            vdi_oasis_desc desc = vdi_oasis_desc_defaults();
            desc.fps = 30;
            desc.order = order;
            desc.noise_method = mad ? VDI_OASIS_MAD : VDI_OASIS_SPECTRUM;
            desc.fudge = 1;
            CHECK_OK(vdi_oasis(&desc, VDI_F64, 20000, y, NULL, c, s, &r, &err), err);
            CHECK_CLOSE(r.tau_decay, 0.8, 0.2);
            if (order == 2) CHECK_CLOSE(r.tau_rise, 0.1, 0.05);
            CHECK_CLOSE(r.baseline, 3, 0.1);
            if (order == 2) continue;
            desc.fudge = 0;
            desc.refine = 20;
            CHECK_OK(vdi_oasis(&desc, VDI_F64, 20000, y, NULL, c, s, &r, &err), err);
            CHECK_CLOSE(r.tau_decay, 0.8, mad ? 0.35 : 0.15);
        }
    }
}

TEST(oasis, odd_input) {
    unsigned long long seed = 12;
    vdi_error err = {0};
    vdi_oasis_result r, same;
    static double c[400], s[400], z[400];
    static float f[400], cf[400];
    trace x = simulate(&seed, 400, 1);
    vdi_oasis_desc desc = vdi_oasis_desc_defaults();
    test_allocator counter = {0};
    desc.fps = 30;
    desc.allocator = test_allocator_of(&counter);
    void *work = malloc(vdi_oasis_worksize(400));
    CHECK_OK(vdi_oasis(&desc, VDI_F64, 400, x.y, work, c, s, &r, &err), err);
    CHECK(counter.requests == 0);
    CHECK_OK(vdi_oasis(&desc, VDI_F64, 400, x.y, NULL, NULL, z, &same, &err), err);
    CHECK(counter.requests == 1 && counter.live == 0 && !memcmp(s, z, sizeof s) &&
          same.lambda == r.lambda);
    counter.fail_at = 2;
    CHECK_FAILS(vdi_oasis(&desc, VDI_F64, 400, x.y, NULL, NULL, z, &same, &err), VDI_ERR_MEMORY);
    free(work);
    for (int t = 0; t < 400; t++)
        f[t] = (float)x.y[t];
    CHECK_OK(vdi_oasis(&desc, VDI_F32, 400, f, NULL, cf, NULL, &same, &err), err);
    CHECK_CLOSE(same.baseline, r.baseline, 1e-3);
    for (int t = 0; t < 400; t++)
        CHECK_CLOSE(cf[t], c[t], 1e-2);
}

/* NaN frames: bridged at both ends and inside, and counted. */
TEST(oasis, bridged_frames) {
    unsigned long long seed = 12;
    vdi_error err = {0};
    vdi_oasis_result r;
    static double c[400], s[400];
    vdi_oasis_desc desc = vdi_oasis_desc_defaults();
    desc.fps = 30;
    trace gaps = simulate(&seed, 400, 1);
    for (int t = 0; t < 400; t++)
        if (t < 3 || t >= 398 || (t >= 100 && t < 104)) gaps.y[t] = NAN;
    CHECK_OK(vdi_oasis(&desc, VDI_F64, 400, gaps.y, NULL, c, s, &r, &err), err);
    CHECK(r.bridged == 9 && vdi_count_nonfinite(VDI_F64, 400, c) == 0, "%d", (int)r.bridged);
    /* an infinite frame is missing like a NaN */
    gaps.y[5] = INFINITY;
    static double c2[400];
    CHECK_OK(vdi_oasis(&desc, VDI_F64, 400, gaps.y, NULL, c2, s, &r, &err), err);
    CHECK(r.bridged == 10 && vdi_count_nonfinite(VDI_F64, 400, c2) == 0);
    gaps.y[5] = NAN;
    CHECK_OK(vdi_oasis(&desc, VDI_F64, 400, gaps.y, NULL, c, s, &r, &err), err);
    CHECK(memcmp(c, c2, sizeof c) == 0);
    for (int t = 0; t < 400; t++)
        gaps.y[t] = INFINITY;
    CHECK_FAILS(vdi_oasis(&desc, VDI_F64, 400, gaps.y, NULL, c, s, &r, &err), VDI_ERR_DATA);
    /* a constant trace has no spikes */
    for (int t = 0; t < 400; t++)
        gaps.y[t] = 2;
    for (int order = 1; order <= 2; order++) {
        desc.order = order;
        CHECK_OK(vdi_oasis(&desc, VDI_F64, 400, gaps.y, NULL, c, s, &r, &err), err);
        CHECK(r.events == 0 && r.baseline == 2 && r.noise == 0 && r.residual == 0);
        for (int t = 0; t < 400; t++)
            CHECK(c[t] == 0 && s[t] == 0);
    }
}

TEST(oasis, short_and_odd_traces) {
    unsigned long long seed = 12;
    vdi_error err = {0};
    vdi_oasis_result r;
    static double c[400], s[400];
    vdi_oasis_desc desc = vdi_oasis_desc_defaults();
    desc.fps = 30;
    trace x = simulate(&seed, 400, 1);
    CHECK_FAILS(vdi_oasis(&desc, VDI_F64, 3, x.y, NULL, c, s, &r, &err), VDI_ERR_DATA);
    desc.order = 3;
    CHECK_FAILS(vdi_oasis(&desc, VDI_F64, 400, x.y, NULL, c, s, &r, &err), VDI_ERR_ARGUMENT);
    /* short traces of noise, equal roots, a baseline held at 0: no crash, and a legal answer */
    for (int i = 0; i < 60; i++) {
        const int T = 4 + i % 30;
        desc = vdi_oasis_desc_defaults();
        desc.order = 1 + i % 2;
        desc.penalty = i % 4 < 2 ? VDI_OASIS_L1 : VDI_OASIS_L0;
        desc.baseline_nonneg = i % 3 == 0;
        desc.refine = i % 5;
        if (i % 6 == 1) desc.tau_decay = desc.tau_rise = 3;
        for (int t = 0; t < T; t++)
            x.y[t] = test_normal(&seed) - (i % 3 == 0) * 2;
        vdi_status status = vdi_oasis(&desc, VDI_F64, T, x.y, NULL, c, s, &r, &err);
        CHECK(status >= 0, "case %d: %s", i, err.message);
        for (int t = 0; t < T; t++)
            CHECK(s[t] >= 0 && c[t] > -1e-9 && isfinite(c[t]), "case %d: %g %g", i, s[t], c[t]);
        if (desc.baseline_nonneg) CHECK(r.baseline >= 0);
    }
}

/* A cell of about one spike in 75 frames; frames may be missing. Spikes' total size in
 * [from, to), divided by the true one. */
static double found(const double *y, const double *truth, int T, int from, int to, int order,
                    vdi_oasis_result *r) {
    static double s[9000];
    vdi_error err;
    vdi_oasis_desc desc = vdi_oasis_desc_defaults();
    double sum = 0, all = 0;
    desc.fps = 30;
    desc.order = order;
    CHECK_OK(vdi_oasis(&desc, VDI_F64, T, y, NULL, NULL, s, r, &err), err);
    for (int t = from; t < to; t++) {
        sum += s[t];
        all += truth[t];
    }
    return sum / all;
}

TEST(oasis, missing_frames) {
    enum { T = 9000 };
    static double y[T], gaps[T], truth[T];
    unsigned long long seed = 5;
    vdi_oasis_result whole, r;
    double c = 0;
    for (int t = 0; t < T; t++) {
        truth[t] = test_uniform(&seed) < 1.0 / 75 ? 0.3 : 0;
        c = exp(-1.0 / 18) * c + truth[t];
        y[t] = c + 0.1 * test_normal(&seed);
    }
    for (int order = 1; order <= 2; order++) {
        const double all = found(y, truth, T, 0, T, order, &whole);
        CHECK(all > 0.7 && all < 1.2, "order %d: %g", order, all);
        /* the end is missing: as without it, and no spike in it */
        memcpy(gaps, y, sizeof y);
        for (int t = 4400; t < T; t++)
            gaps[t] = NAN;
        const double first = found(gaps, truth, T, 0, 4400, order, &r);
        const double as_it_is = found(y, truth, 4400, 0, 4400, order, &whole);
        CHECK_CLOSE(first, as_it_is, 1e-9);
        CHECK_CLOSE(r.noise, whole.noise, 1e-12);
        CHECK(found(gaps, truth, T, 4400, T, order, &r) == 0);
        /* a hole of ten seconds: no spike in it, the rest as before */
        memcpy(gaps, y, sizeof y);
        for (int t = 4000; t < 4300; t++)
            gaps[t] = NAN;
        const double hole = found(gaps, truth, T, 4000, 4300, order, &r);
        CHECK(hole < 0.02, "order %d: %g in the hole", order, hole);
        CHECK_CLOSE(found(gaps, truth, T, 0, 4000, order, &r),
                    found(y, truth, T, 0, 4000, order, &whole), 0.1);
        /* every other frame: the noise and the decay of the frames that are there */
        memcpy(gaps, y, sizeof y);
        for (int t = 0; t < T; t += 2)
            gaps[t] = NAN;
        const double half = found(gaps, truth, T, 0, T, order, &r);
        CHECK(fabs(r.noise - 0.1) < 0.015, "order %d: noise %g", order, r.noise);
        /* a rise is too short to be seen in every other frame, and spikes grow with it */
        CHECK(order == 2 || fabs(half - all) < 0.2, "%g of half the frames, %g of all", half, all);
    }
}

TEST(oasis, fields_of_the_description) {
    const vdi_fields *table = vdi_oasis_desc_fields();
    vdi_oasis_desc d = vdi_oasis_desc_defaults();
    vdi_error err;
    CHECK(d.fps == 1 && d.order == 1 && d.fudge == 0.98 && !d.has_lambda && !d.has_baseline);
    CHECK_OK(vdi_fields_set(table, &d, "lambda", "0", &err), err);
    CHECK(d.has_lambda && d.lambda == 0);
    static const struct {
        const char *name, *value;
    } bad[] = {{"fps", "nan"},   {"fps", "-1"},       {"order", "3"},    {"lambda", "-1"},
               {"refine", "-1"}, {"refine", "1001"},  {"fudge", "2"},    {"noise", "inf"},
               {"s_min", "nan"}, {"tau_decay", "-2"}, {"penalty", "l2"}, {"order", "0"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAILS(vdi_fields_set(table, &d, bad[i].name, bad[i].value, &err), VDI_ERR_ARGUMENT);
        CHECK(strstr(err.message, bad[i].name), "%s", err.message);
    }
    d = vdi_oasis_desc_defaults();
    d.baseline = NAN;
    d.has_baseline = true;
    CHECK_FAILS(vdi_oasis_desc_check(&d, &err), VDI_ERR_ARGUMENT);
}

enum { RECORDINGS = 200, DATA_SETS = 16 };

/* What OASIS says of the recordings of an index. */
typedef struct recordings {
    int n, sets;
    char set[DATA_SETS][64], neuron[RECORDINGS][96];
    int set_of[RECORDINGS];
    vdi_score_train trial[RECORDINGS];
    double *estimate[RECORDINGS];
    vdi_tensor times[RECORDINGS];
} recordings;

static int find_set(recordings *all, const char *name) {
    int k = 0;
    while (k < all->sets && strcmp(all->set[k], name))
        k++;
    if (k == all->sets) (void)vdi_text_copy(all->set[all->sets++], sizeof all->set[0], name);
    return k;
}

static void deconvolve(recordings *all, const char *root, const vdi_json *row) {
    const int i = all->n++;
    const char *stem = vdi_json_as_text(vdi_json_get(row, "stem"), "");
    const double fps = vdi_json_as_number(vdi_json_get(row, "frame_rate_hz"), 0);
    vdi_oasis_desc desc = vdi_oasis_desc_defaults();
    vdi_error err = {0};
    vdi_tensor y;
    char path[1200];
    snprintf(path, sizeof path, "%s/%s_dff.npy", root, stem);
    CHECK_OK(vdi_npy_load(path, NULL, &y, &err), err);
    snprintf(path, sizeof path, "%s/%s_spt.npy", root, stem);
    CHECK_OK(vdi_npy_load(path, NULL, &all->times[i], &err), err);
    const int64_t T = y.shape[0];
    float *s = (float *)malloc((size_t)T * sizeof *s);
    all->estimate[i] = (double *)malloc((size_t)T * sizeof(double));
    desc.fps = fps;
    desc.baseline_nonneg = true;
    CHECK_OK(vdi_oasis(&desc, VDI_F32, T, y.data, NULL, NULL, s, NULL, &err), err);
    for (int64_t t = 0; t < T; t++)
        all->estimate[i][t] = s[t];
    free(s);
    vdi_tensor_free(NULL, &y);
    snprintf(all->neuron[i], sizeof all->neuron[i], "%.*s", (int)(strrchr(stem, '_') - stem), stem);
    snprintf(path, sizeof path, "%.*s", (int)(strchr(stem, '/') - stem), stem);
    all->set_of[i] = find_set(all, path);
    all->trial[i].frames = T;
    all->trial[i].fps = fps;
    all->trial[i].estimate = all->estimate[i];
    all->trial[i].times = (const double *)all->times[i].data;
    all->trial[i].spikes = all->times[i].shape[0];
}

/* The means over data sets that the reference implementation has on the same recordings
 * (pretrained_recipe.md, section 7: L1 AR(1) with everything estimated): r25 0.424, r40g 0.619,
 * r160g 0.774, AUC 0.843. */
TEST(oasis, scores_on_recordings) {
    NEED_SHARED("data/calcium/index.json");
    static recordings all;
    vdi_error err = {0};
    char *root = strdup(shared_path("data/calcium"));
    double sum[DATA_SETS][4] = {{0}}, count[DATA_SETS] = {0}, mean[4] = {0};
    vdi_arena arena;
    const vdi_json *index;
    vdi_arena_init(&arena, NULL, 0);
    memset(&all, 0, sizeof all);
    CHECK_OK(vdi_json_load(shared_path("data/calcium/index.json"), &arena, &index, &err), err);
    for (const vdi_json *row = vdi_json_first(index); row; row = vdi_json_next(index, row))
        deconvolve(&all, root, row);
    CHECK(all.n > 20 && all.sets == 5, "%d recordings, %d data sets", all.n, all.sets);
    for (int i = 0, j; i < all.n; i = j) { /* the trials of a neuron follow one another */
        vdi_score_spikes_result r;
        for (j = i + 1; j < all.n && !strcmp(all.neuron[i], all.neuron[j]);)
            j++;
        double *work = (double *)malloc(vdi_score_spikes_work(j - i, all.trial + i) * sizeof *work);
        CHECK_OK(vdi_score_spikes(j - i, all.trial + i, work, &r, &err), err);
        double *to = sum[all.set_of[i]];
        to[0] += r.r25;
        to[1] += r.r40g;
        to[2] += r.r160g;
        to[3] += r.auc;
        count[all.set_of[i]]++;
        free(work);
    }
    for (int k = 0; k < all.sets; k++) {
        for (int i = 0; i < 4; i++)
            mean[i] += sum[k][i] / count[k] / all.sets;
    }
    CHECK_CLOSE(mean[0], 0.424, 0.01);
    CHECK_CLOSE(mean[1], 0.619, 0.01);
    CHECK_CLOSE(mean[2], 0.774, 0.01);
    CHECK_CLOSE(mean[3], 0.843, 0.015);
    for (int i = 0; i < all.n; i++) {
        free(all.estimate[i]);
        vdi_tensor_free(NULL, &all.times[i]);
    }
    vdi_arena_free(&arena);
    free(root);
}
