/* tests/critic.c - the decomposed critic against finite differences, a fit by hand and searches by
 * brute force */
#include "sacd_case.h"

/* ---- the twins' minimum ---------------------------------------------------------------------- */

TEST(critic, the_naive_minimum_is_biased_low) {
    const int heads[3] = {3, 4, 10};
    unsigned long long seed = 99;
    for (int h = 0; h < 3; h++) {
        const int n = heads[h];
        const size_t samples = test_scaled(400000);
        double naive = 0, composite = 0;
        for (size_t k = 0; k < samples; k++) {
            double q[2][10], c;
            for (int i = 0; i < n; i++) {
                q[0][i] = test_normal(&seed);
                q[1][i] = test_normal(&seed);
            }
            vdi_critic_minimum(VDI_F64, VDI_CRITIC_COMPOSITE, 1, n, NULL, q[0], q[1], NULL, &c,
                               NULL);
            composite += c;
            vdi_critic_minimum(VDI_F64, VDI_CRITIC_ELEMENTWISE, 1, n, NULL, q[0], q[1], NULL, &c,
                               NULL);
            naive += c;
        }
        const double ratio = naive / composite;
        const double se = 1.5 / sqrt((double)samples) * ratio;
        const double allowed = 0.02 * sqrt((double)n);
        CHECK_CLOSE(ratio, sqrt((double)n), fmax(allowed, 4 * se));
        CHECK_CLOSE(naive / (double)samples, -n / sqrt(VDI_PI),
                    0.02 * n + 4 / sqrt((double)samples));
    }
    /* a negative weight turns the order over in the naive one; the composite takes the smaller
     * sum */
    double q0[2] = {1, 5}, q1[2] = {2, 3}, w[2] = {-1, 2}, v[2], c;
    unsigned char from[2];
    vdi_critic_minimum(VDI_F64, VDI_CRITIC_ELEMENTWISE, 1, 2, w, q0, q1, v, &c, from);
    CHECK(from[0] == 1 && from[1] == 1 && v[0] == 2 && v[1] == 3 && c == 4);
    w[0] = 1;
    vdi_critic_minimum(VDI_F64, VDI_CRITIC_ELEMENTWISE, 1, 2, w, q0, q1, v, &c, from);
    CHECK(from[0] == 0 && from[1] == 1 && c == 7);
    vdi_critic_minimum(VDI_F64, VDI_CRITIC_COMPOSITE, 1, 2, w, q0, q1, v, &c, from);
    CHECK(from[0] == 1 && from[1] == 1 && v[0] == 2 && v[1] == 3 && c == 8);
}

/* ---- CAGrad ---------------------------------------------------------------------------------- */

enum { DIM = 12, MOST = 10 };

static double dual(int n, const double *G, double c, const double *w) {
    double wu = 0, ww = 0, uu = 0;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            wu += w[i] * G[i * n + j] / n;
            ww += w[i] * w[j] * G[i * n + j];
            uu += G[i * n + j] / n / n;
        }
    }
    return wu + c * sqrt(uu) * sqrt(ww);
}

/* n gradients of all lengths, some nearly opposed, and their Gram matrix. */
static void gradients(unsigned long long *seed, int n, double g[MOST][DIM], double *G) {
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < DIM; j++) {
            const double lean = j == 0 ? (i % 2 ? -3 : 3) : 0;
            g[i][j] = pow(10, (double)(i % 4) - 2) * (test_normal(seed) + lean);
        }
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++)
            G[i * n + j] = vdi_dot(VDI_F64, DIM, g[i], g[j]);
    }
}

/* The step keeps its distance, and its worst improvement is the dual's value (strong duality). */
static void check_step(int n, double g[MOST][DIM], double c, const double *k, double f) {
    double d[DIM], g0[DIM], norm0 = 0, away = 0, least = HUGE_VAL;
    for (int l = 0; l < DIM; l++) {
        d[l] = g0[l] = 0;
        for (int i = 0; i < n; i++) {
            d[l] += k[i] * g[i][l];
            g0[l] += g[i][l] / n;
        }
        norm0 += g0[l] * g0[l];
        away += (d[l] - g0[l]) * (d[l] - g0[l]);
    }
    CHECK(sqrt(away) <= c * sqrt(norm0) * (1 + 1e-9) + 1e-13 * sqrt(norm0), "off by %g, allowed %g",
          sqrt(away), c * sqrt(norm0));
    for (int i = 0; i < n; i++)
        least = fmin(least, vdi_dot(VDI_F64, DIM, g[i], d));
    if (c == 0) return;
    CHECK(fabs(least - f) <= 1e-6 * (fabs(f) + norm0), "n %d, c %g: primal %.12g, dual %.12g", n, c,
          least, f);
}

/* Golden section, for two. */
static void check_pair(const double *G, double c, const double *w) {
    const double f = dual(2, G, c, w), r = 0.6180339887498949;
    double a = 0, b = 1;
    for (int it = 0; it < 200; it++) {
        const double x = b - r * (b - a), y = a + r * (b - a);
        const double wx[2] = {x, 1 - x}, wy[2] = {y, 1 - y};
        if (dual(2, G, c, wx) < dual(2, G, c, wy))
            b = y;
        else
            a = x;
    }
    const double best[2] = {a, 1 - a};
    CHECK(f <= dual(2, G, c, best) + 1e-12 * fabs(f));
    if (a > 1e-6 && a < 1 - 1e-6) CHECK_CLOSE(w[0], a, 1e-6);
}

/* The simplex on a grid, for three. */
static void check_triple(const double *G, double c, const double *w) {
    const double f = dual(3, G, c, w);
    double best = HUGE_VAL;
    for (int i = 0; i <= 300; i++) {
        for (int j = 0; i + j <= 300; j++) {
            const double x[3] = {i / 300.0, j / 300.0, (300 - i - j) / 300.0};
            best = fmin(best, dual(3, G, c, x));
        }
    }
    CHECK(f <= best + 1e-12 * fabs(best), "the grid found %.12g, below %.12g", best, f);
}

TEST(critic, cagrad) {
    unsigned long long seed = 4;
    for (size_t round = 0; round < test_scaled(200); round++) {
        const int n = 2 + (int)(round % 9);
        double g[MOST][DIM], G[MOST * MOST], k[MOST], w[MOST];
        gradients(&seed, n, g, G);
        for (int which = 0; which < 3; which++) {
            const double c = which == 0 ? 0 : which == 1 ? 0.5 : 0.95;
            double sum = 0;
            CHECK(vdi_cagrad(n, G, c, k, w) == VDI_OK);
            for (int i = 0; i < n; i++) {
                sum += w[i];
                CHECK(w[i] >= 0);
                if (c == 0) CHECK_CLOSE(k[i], 1.0 / n, 1e-15);
            }
            CHECK_CLOSE(sum, 1, 1e-12);
            check_step(n, g, c, k, dual(n, G, c, w));
            if (n == 2 && c > 0) check_pair(G, c, w);
            if (n == 3 && c > 0) check_triple(G, c, w);
        }
    }
    double one = 4, k;
    CHECK(vdi_cagrad(0, &one, 0.5, &k, NULL) == VDI_ERR_ARGUMENT);
    CHECK(vdi_cagrad(VDI_CAGRAD_MOST + 1, &one, 0.5, &k, NULL) == VDI_ERR_ARGUMENT);
    CHECK(vdi_cagrad(1, &one, 0.5, &k, NULL) == VDI_OK && k == 1.5);
}

/* ---- gradients of the action ----------------------------------------------------------------- */

enum { N = 21 };

/* The same weights in float32 or float64 and in float64, for differences that are not drowned in
   rounding; and the same arguments in both. */
typedef struct twin_case {
    vdi_critic *c, *exact;
    vdi_dtype dtype;
    double x[N * OBS], a[N * ACT];
    float xf[N * OBS], af[N * ACT];
    const void *px, *pa;
} twin_case;

static void twin_make(twin_case *t, vdi_dtype dtype) {
    vdi_error err = {0};
    vdi_critic_desc d = VDI__ZERO;
    unsigned long long seed = 11;
    d.observations = OBS;
    d.actions = ACT;
    d.heads = HEADS;
    d.layers = 3;
    d.hidden[0] = 20;
    d.hidden[1] = 16;
    d.hidden[2] = 12;
    d.batch = 8;
    d.dtype = t->dtype = dtype;
    CHECK_OK(vdi_critic_create(&d, &t->c, &err), err);
    d.dtype = VDI_F64;
    CHECK_OK(vdi_critic_create(&d, &t->exact, &err), err);
    const vdi_state *from = vdi_critic_state(t->c, true), *to = vdi_critic_state(t->exact, true);
    for (int64_t i = 0; i < from->tensor_count; i++)
        CHECK_OK(vdi_tensor_copy(to->tensors[i].tensor, from->tensors[i].tensor, &err), err);
    for (int i = 0; i < N * OBS; i++) {
        t->xf[i] = (float)test_normal(&seed);
        t->x[i] = (double)t->xf[i];
    }
    for (int i = 0; i < N * ACT; i++) {
        t->af[i] = (float)(2 * test_uniform(&seed) - 1);
        t->a[i] = (double)t->af[i];
    }
    t->px = dtype == VDI_F64 ? (const void *)t->x : (const void *)t->xf;
    t->pa = dtype == VDI_F64 ? (const void *)t->a : (const void *)t->af;
}
static void twin_free(twin_case *t) {
    vdi_critic_destroy(t->c);
    vdi_critic_destroy(t->exact);
}
static void shift(double *a, int k, double h) {
    for (int b = 0; b < N; b++)
        a[b * ACT + k] += h;
}
static void doubles_of(vdi_dtype t, const void *from, int n, double *to) {
    for (int i = 0; i < n; i++)
        to[i] = t == VDI_F64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

static void check_heads(twin_case *t, const double *weights) {
    static double raw[N * HEADS * ACT], grad[N * HEADS * ACT], influence[N * HEADS];
    double up[N * HEADS], down[N * HEADS], worst = 0;
    const double h = 1e-6;
    CHECK(vdi_critic_action_grad(t->c, VDI_CRITIC_FIRST, N, t->px, t->pa, raw) == VDI_OK);
    doubles_of(t->dtype, raw, N * HEADS * ACT, grad);
    CHECK(vdi_critic_influence(t->c, N, t->px, t->pa, weights, influence) == VDI_OK);
    for (int k = 0; k < ACT; k++) {
        shift(t->a, k, h);
        CHECK(vdi_critic_values(t->exact, VDI_CRITIC_FIRST, N, t->x, t->a, up) == VDI_OK);
        shift(t->a, k, -2 * h);
        CHECK(vdi_critic_values(t->exact, VDI_CRITIC_FIRST, N, t->x, t->a, down) == VDI_OK);
        shift(t->a, k, h);
        for (int i = 0; i < N * HEADS; i++) {
            const double slope = (up[i] - down[i]) / (2 * h);
            worst = test_worst(worst, fabs(grad[i * ACT + k] - slope));
        }
    }
    CHECK(worst < (t->dtype == VDI_F64 ? 1e-6 : 1e-3), "component gradient off by %g", worst);
    for (int i = 0; i < N * HEADS; i++) {
        const double norm = hypot(grad[i * ACT], grad[i * ACT + 1]) * fabs(weights[i % HEADS]);
        CHECK(fabs(influence[i] - norm) <= 1e-5 * norm, "influence %g, expected %g", influence[i],
              norm);
    }
}

static void check_slope(twin_case *t, vdi_critic_rule rule, const double *weights) {
    double raw[N * ACT], slope[N * ACT], composite[N], up[N], down[N];
    const double h = 1e-7, tolerance = t->dtype == VDI_F64 ? 1e-6 : 1e-3;
    CHECK(vdi_critic_best(t->c, 0, rule, N, t->px, t->pa, weights, NULL, composite, raw) == VDI_OK);
    doubles_of(t->dtype, raw, N * ACT, slope);
    for (int k = 0; k < ACT; k++) {
        shift(t->a, k, h);
        CHECK(vdi_critic_best(t->exact, 0, rule, N, t->x, t->a, weights, NULL, up, NULL) == VDI_OK);
        shift(t->a, k, -2 * h);
        CHECK(vdi_critic_best(t->exact, 0, rule, N, t->x, t->a, weights, NULL, down, NULL) ==
              VDI_OK);
        shift(t->a, k, h);
        for (int b = 0; b < N; b++) {
            CHECK_CLOSE(slope[b * ACT + k], (up[b] - down[b]) / (2 * h), tolerance);
            CHECK_CLOSE(composite[b], (up[b] + down[b]) / 2, 1e-5);
        }
    }
}

TEST(critic, gradients_of_the_action) {
    const double weights[HEADS] = {1, -0.5, 2, 0.25};
    for (int dtype = 0; dtype < 2; dtype++) {
        static twin_case t;
        twin_make(&t, dtype ? VDI_F64 : VDI_F32);
        check_heads(&t, weights);
        check_slope(&t, VDI_CRITIC_COMPOSITE, weights);
        check_slope(&t, VDI_CRITIC_ELEMENTWISE, weights);
        twin_free(&t);
    }
}

TEST(critic, what_is_not_finite_has_a_status) {
    static twin_case t;
    static double out[N * HEADS * ACT], composite[N], influence[N * HEADS];
    twin_make(&t, VDI_F64);
    for (int k = 0; k < 4; k++) {
        double *part = k % 2 ? &t.a[N * ACT - 1] : &t.x[OBS + 1], keep = *part;
        *part = k < 2 ? NAN : -INFINITY;
        memset(out, 0x55, sizeof out);
        CHECK(vdi_critic_values(t.c, VDI_CRITIC_SECOND, N, t.x, t.a, out) == VDI_ERR_DATA);
        for (int i = 0; i < N * HEADS; i++)
            CHECK(out[i] == 0);
        memset(out, 0x55, sizeof out);
        memset(composite, 0x55, sizeof composite);
        CHECK(vdi_critic_best(t.c, 0, VDI_CRITIC_COMPOSITE, N, t.x, t.a, NULL, out, composite,
                              out) == VDI_ERR_DATA);
        CHECK(composite[0] == 0 && composite[N - 1] == 0 && out[0] == 0 && out[N * ACT - 1] == 0);
        memset(out, 0x55, sizeof out);
        CHECK(vdi_critic_action_grad(t.c, 0, N, t.x, t.a, out) == VDI_ERR_DATA);
        CHECK(out[0] == 0 && out[N * HEADS * ACT - 1] == 0);
        memset(influence, 0x55, sizeof influence);
        CHECK(vdi_critic_influence(t.c, N, t.x, t.a, NULL, influence) == VDI_ERR_DATA);
        CHECK(influence[0] == 0 && influence[N * HEADS - 1] == 0);
        *part = keep;
        CHECK(vdi_critic_values(t.c, VDI_CRITIC_SECOND, N, t.x, t.a, out) == VDI_OK);
    }
    twin_free(&t);
}

/* ---- description ----------------------------------------------------------------------------- */

TEST(critic, description) {
    vdi_error err = {0};
    vdi_critic *c = NULL;
    vdi_critic_desc d = vdi_critic_desc_defaults();
    CHECK(d.layers == 2 && d.hidden[0] == 256 && d.hidden[1] == 256 && d.batch == 256 &&
          d.rate == 3e-4 && d.beta1 == 0.9 && d.beta2 == 0.999 && d.eps == 1e-8 && d.tau == 0.005 &&
          d.cagrad_c == 0.5 && d.has_cagrad_c && d.composite_weight == 0 && d.dtype == VDI_F32);
    static const struct {
        const char *name, *value;
    } bad[] = {
        {"observations", "0"}, {"actions", "1048577"},
        {"heads", "257"},      {"hidden", "3,0"},
        {"batch", "0"},        {"rate", "-1"},
        {"beta1", "1"},        {"beta2", "0"},
        {"eps", "0"},          {"tau", "1.5"},
        {"gradient", "no"},    {"cagrad_c", "1"},
        {"dtype", "int8"},     {"composite_weight", "-0.1"},
        {"rate", "nan"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAILS(vdi_fields_set(vdi_critic_desc_fields(), &d, bad[i].name, bad[i].value, &err),
                    VDI_ERR_ARGUMENT);
        CHECK_SAYS(err, bad[i].name);
        CHECK_SAYS(err, "expected");
    }
    d.observations = d.actions = d.heads = 1;
    d.beta1 = 0.9999;
    CHECK_FAILS(vdi_critic_create(&d, &c, &err), VDI_ERR_ARGUMENT);
    CHECK_SAYS(err, "beta1 is 0.9999");
    d.beta1 = 0.9;
    d.hidden[0] = 4;
    d.layers = 1;
    CHECK_OK(vdi_critic_create(&d, &c, &err), err);
    CHECK_OK(vdi_critic_set_rate(c, 0.5, &err), err);
    CHECK_FAILS(vdi_critic_set_rate(c, 0, &err), VDI_ERR_ARGUMENT);
    CHECK(vdi_critic_get_desc(c)->rate == 0.5);
    vdi_critic_destroy(c);
    vdi_critic_destroy(NULL);
}

/* ---- learning -------------------------------------------------------------------------------- */

/* The gradient of one linear layer's loss by hand: Adam's first memory is a tenth of it. With one
   hidden unit that is always on, Q_i = v_i u + c_i, where u = w . (s, a) + b. */
TEST(critic, the_loss_has_two_terms) {
    enum { ROWS = 5, H = 3 };
    vdi_error err = {0};
    for (int kind = 0; kind < 6; kind++) {
        const double lambda = kind % 2 ? 0.3 : 0;
        vdi_critic_desc d = VDI__ZERO;
        vdi_critic *c = NULL;
        unsigned long long seed = 5;
        double x[ROWS], a[ROWS], y[ROWS * H], weights[H] = {1, -2, 0.5}, q[2][ROWS * H];
        d.observations = d.actions = 1;
        d.heads = H;
        d.layers = 1;
        d.hidden[0] = 6;
        d.batch = 8;
        d.dtype = VDI_F64;
        d.gradient = (vdi_critic_gradient)(kind / 2);
        d.has_cagrad_c = true; /* 0: the mean */
        d.composite_weight = lambda;
        CHECK_OK(vdi_critic_create(&d, &c, &err), err);
        for (int i = 0; i < ROWS * H; i++) {
            x[i % ROWS] = test_normal(&seed);
            a[i % ROWS] = 2 * test_uniform(&seed) - 1;
            y[i] = 3 * test_normal(&seed);
        }
        for (int j = 0; j < 2; j++)
            CHECK(vdi_critic_values(c, j, ROWS, x, a, q[j]) == VDI_OK);
        CHECK_OK(vdi_critic_fit(c, ROWS, x, a, y, weights, NULL, &err), err);
        for (int j = 0; j < 2; j++) { /* the bias of head i has the gradient of its errors alone */
            const vdi_state *s = vdi_critic_state(c, true);
            vdi_tensor m = state_find(s, j ? "critic1.m.1.bias" : "critic0.m.1.bias");
            for (int i = 0; i < H; i++) {
                double wanted = 0;
                for (int b = 0; b < ROWS; b++) {
                    double sum = 0;
                    for (int k = 0; k < H; k++)
                        sum += weights[k] * (q[j][b * H + k] - y[b * H + k]);
                    wanted += 2.0 / ROWS / H * (q[j][b * H + i] - y[b * H + i]);
                    wanted += 2.0 / ROWS * lambda * weights[i] * sum;
                }
                CHECK_CLOSE(10 * ((double *)m.data)[i], wanted, 1e-12);
            }
        }
        vdi_critic_destroy(c);
    }
}

/* h (units) of a rectified layer of one row, from x (inputs); weights (inputs,units). */
static void rectified(const vdi_state *s, int layer, const double *x, double *h) {
    char name[64];
    snprintf(name, sizeof name, "critic0.%d.weight", layer);
    const vdi_tensor w = state_find(s, name);
    snprintf(name, sizeof name, "critic0.%d.bias", layer);
    const vdi_tensor bias = state_find(s, name);
    for (int64_t u = 0; u < w.shape[1]; u++) {
        h[u] = ((const double *)bias.data)[u];
        for (int64_t k = 0; k < w.shape[0]; k++)
            h[u] += x[k] * ((const double *)w.data)[k * w.shape[1] + u];
        h[u] = h[u] > 0 ? h[u] : 0;
    }
}

/* The Gram matrix of the heads' gradients in the outputs of the last hidden layer, written out:
   the gradient of head i's loss in row b is e_i w_i where a unit is on. */
TEST(critic, conflict_at_the_last_hidden_layer) {
    enum { ROWS = 6, H = 3, UNITS = 5 };
    vdi_error err = {0};
    vdi_critic_desc d = VDI__ZERO;
    vdi_critic *c = NULL;
    unsigned long long seed = 8;
    double x[ROWS], a[ROWS], y[ROWS * H], q[ROWS * H], gram[H * H], want[H * H] = {0}, last[64];
    d.observations = d.actions = 1;
    d.heads = H;
    d.layers = 2;
    d.hidden[0] = 7;
    d.hidden[1] = UNITS;
    d.batch = 8;
    d.dtype = VDI_F64;
    d.gradient = VDI_CRITIC_CAGRAD_HIDDEN;
    CHECK_OK(vdi_critic_create(&d, &c, &err), err);
    for (int i = 0; i < ROWS * H; i++) {
        x[i % ROWS] = test_normal(&seed);
        a[i % ROWS] = 2 * test_uniform(&seed) - 1;
        y[i] = 3 * test_normal(&seed);
    }
    CHECK(vdi_critic_values(c, 0, ROWS, x, a, q) == VDI_OK);
    const vdi_state *s = vdi_critic_state(c, true);
    memcpy(last, state_find(s, "critic0.2.weight").data, UNITS * H * sizeof *last);
    for (int b = 0; b < ROWS; b++) {
        const double in[2] = {x[b], a[b]};
        double h0[7], h1[UNITS];
        rectified(s, 0, in, h0);
        rectified(s, 1, h0, h1);
        for (int ij = 0; ij < H * H; ij++) {
            const int i = ij / H, j = ij % H;
            const double e = q[b * H + i] - y[b * H + i], f = q[b * H + j] - y[b * H + j];
            for (int u = 0; u < UNITS; u++)
                want[ij] +=
                    h1[u] > 0 ? 4.0 / ROWS / ROWS * e * f * last[u * H + i] * last[u * H + j] : 0;
        }
    }
    CHECK_FAILS(vdi_critic_gram(c, 0, gram, &err), VDI_ERR_STATE);
    CHECK_OK(vdi_critic_fit(c, ROWS, x, a, y, NULL, NULL, &err), err);
    CHECK_OK(vdi_critic_gram(c, 0, gram, &err), err);
    for (int ij = 0; ij < H * H; ij++)
        CHECK_CLOSE(gram[ij], want[ij], 1e-12);
    vdi_critic_destroy(c);
}

TEST(critic, fits_its_targets) {
    enum { ROWS = 64 };
    vdi_error err = {0};
    for (int kind = 0; kind < 6; kind++) {
        vdi_critic_desc d = VDI__ZERO;
        vdi_critic *c = NULL;
        vdi_critic_stats stats;
        unsigned long long seed = 21;
        static float x[ROWS * 2], a[ROWS], y[ROWS * 2];
        double begin = 0;
        d.observations = 2;
        d.actions = 1;
        d.heads = 2;
        d.layers = 2;
        d.hidden[0] = d.hidden[1] = 32;
        d.batch = ROWS;
        d.rate = 3e-3;
        d.gradient = (vdi_critic_gradient)(kind % 3);
        d.composite_weight = kind / 3 * 0.1;
        CHECK_OK(vdi_critic_create(&d, &c, &err), err);
        CHECK_FAILS(vdi_critic_fit(c, ROWS + 1, x, a, y, NULL, &stats, &err), VDI_ERR_ARGUMENT);
        for (int k = 0; k < 600; k++) {
            for (int b = 0; b < ROWS; b++) {
                x[2 * b] = (float)test_normal(&seed);
                x[2 * b + 1] = (float)test_normal(&seed);
                a[b] = (float)(2 * test_uniform(&seed) - 1);
                y[2 * b] = x[2 * b] + a[b];
                y[2 * b + 1] = a[b] * x[2 * b + 1];
            }
            CHECK_OK(vdi_critic_fit(c, ROWS, x, a, y, NULL, &stats, &err), err);
            if (k == 0) begin = stats.loss[0] + stats.loss[1];
        }
        CHECK(stats.loss[0] + stats.loss[1] < 0.05 * begin, "from %g to %g", begin,
              stats.loss[0] + stats.loss[1]);
        CHECK(vdi_critic_fits(c) == 600);
        a[3] = NAN; /* refused, whatever a rectifier makes of it */
        CHECK_FAILS(vdi_critic_fit(c, ROWS, x, a, y, NULL, &stats, &err), VDI_ERR_NUMERIC);
        CHECK(vdi_critic_fits(c) == 600);
        vdi_critic_destroy(c);
    }
}
