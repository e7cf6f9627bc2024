/* tests/sacd.c - the decomposed critic, the agent, and its tools, against a tape, finite
 * differences, and searches by brute force */
#include "check.h"

enum { OBS = 3, ACT = 2, M = 3, HEADS = M + 1, BATCH = 16, PAST = 40 };

static vdi_tensor state_find(const vdi_state *s, const char *name) {
    for (int64_t i = 0; i < s->tensor_count; i++)
        if (!strcmp(s->tensors[i].name, name)) return s->tensors[i].tensor;
    CHECK(0, "no tensor called %s", name);
    exit(1);
}

/* All bytes of a state, one behind the other. */
static char *state_bytes(const vdi_state *s, size_t *size) {
    char *all = NULL;
    *size = 0;
    for (int64_t i = 0; i < s->tensor_count; i++) {
        size_t n = vdi_tensor_bytes(s->tensors[i].tensor);
        all = (char *)realloc(all, *size + n + 1);
        memcpy(all + *size, s->tensors[i].tensor.data, n);
        *size += n;
    }
    return all;
}
static int state_same(const vdi_state *a, const vdi_state *b) {
    size_t na, nb;
    char *pa = state_bytes(a, &na), *pb = state_bytes(b, &nb);
    int same = na == nb && memcmp(pa, pb, na) == 0;
    free(pa);
    free(pb);
    return same;
}

static vdi_sacd_desc small_desc(vdi_sacd_algo algo, vdi_dtype dtype) {
    vdi_sacd_desc d = VDI__ZERO;
    d.observations = OBS;
    d.actions = ACT;
    d.components = M;
    d.algo = algo;
    d.dtype = dtype;
    d.layers = 2;
    d.hidden[0] = 9;
    d.hidden[1] = 7;
    d.batch = BATCH;
    d.capacity = PAST;
    d.start = 5;
    d.seed = 3;
    d.log_alpha = -0.7;
    return d;
}

/* A past of random transitions: one in five terminal, one in five timed out. */
static void remember(vdi_sacd *agent, int count) {
    unsigned long long seed = 12345;
    vdi_error err = {0};
    for (int k = 0; k < count; k++) {
        float x[2 * OBS + ACT + M];
        for (int i = 0; i < 2 * OBS + ACT + M; i++)
            x[i] = (float)test_normal(&seed);
        for (int i = 0; i < ACT; i++)
            x[OBS + i] = tanhf(x[OBS + i]);
        int end = k % 5 == 2 ? VDI_ENV_TERMINATED : k % 5 == 4 ? VDI_ENV_TRUNCATED : 0;
        CHECK_OK(vdi_sacd_observe(agent, x, x + OBS, x + OBS + ACT, x + OBS + ACT + M, end, &err),
                 err);
    }
}

/* ---- the twins' minimum ---------------------------------------------------------------------- */

TEST(sacd, targets_sum_to_sac) {
    unsigned long long seed = 7;
    vdi_error err = {0};
    for (int terminals = 0; terminals < 2; terminals++) {
        vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
        vdi_sacd_desc plain = small_desc(VDI_SACD_SAC, VDI_F32);
        d.entropy_at_terminals = plain.entropy_at_terminals = terminals != 0;
        vdi_sacd *split = NULL, *sac = NULL;
        CHECK_OK(vdi_sacd_create(&d, &split, &err), err);
        CHECK_OK(vdi_sacd_create(&plain, &sac, &err), err);
        const double alpha = exp(-0.7);
        for (int k = 0; k < 2000; k++) {
            float q[2][HEADS], reward[M], best[HEADS];
            double sum[2] = {0, 0}, composite, picked[HEADS], y[HEADS], total = 0, whole;
            for (int j = 0; j < 2; j++) {
                for (int i = 0; i < HEADS; i++) {
                    q[j][i] = (float)(5 * test_normal(&seed));
                    sum[j] += (double)q[j][i];
                }
            }
            for (int i = 0; i < M; i++)
                reward[i] = (float)test_normal(&seed);
            const double log_pi = 3 * test_normal(&seed);
            const int end = k % 4;
            vdi_critic_minimum(VDI_F32, VDI_CRITIC_COMPOSITE, 1, HEADS, NULL, q[0], q[1], best,
                               &composite, NULL);
            CHECK_CLOSE(composite, fmin(sum[0], sum[1]), 1e-12);
            for (int i = 0; i < HEADS; i++)
                picked[i] = (double)best[i];
            vdi_sacd_target(split, reward, end, picked, log_pi, y);
            for (int i = 0; i < HEADS; i++)
                total += y[i];
            vdi_sacd_target(sac, reward, end, &composite, log_pi, &whole);
            CHECK_CLOSE(total, whole, 1e-12);
            double r = (double)reward[0] + (double)reward[1] + (double)reward[2], by_hand = r;
            if (!(end & VDI_ENV_TERMINATED))
                by_hand += 0.99 * (fmin(sum[0], sum[1]) - alpha * log_pi);
            else if (terminals)
                by_hand -= 0.99 * alpha * log_pi;
            CHECK_CLOSE(whole, by_hand, 1e-5);
        }
        vdi_sacd_destroy(split);
        vdi_sacd_destroy(sac);
    }
}

TEST(sacd, the_naive_minimum_is_biased_low) {
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

TEST(sacd, cagrad) {
    unsigned long long seed = 4;
    enum { DIM = 12, MOST = 10 };
    for (size_t round = 0; round < test_scaled(200); round++) {
        const int n = 2 + (int)(round % 9);
        double g[MOST][DIM], G[MOST * MOST], k[MOST], w[MOST], d[DIM], g0[DIM], norm0 = 0, away = 0;
        for (int i = 0; i < n; i++) { /* of all lengths, some nearly opposed */
            for (int j = 0; j < DIM; j++) {
                g[i][j] = pow(10, (double)(i % 4) - 2) *
                          (test_normal(&seed) + (j == 0 ? (i % 2 ? -3 : 3) : 0));
            }
        }
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                G[i * n + j] = 0;
                for (int l = 0; l < DIM; l++)
                    G[i * n + j] += g[i][l] * g[j][l];
            }
        }
        for (int which = 0; which < 3; which++) {
            const double c = which == 0 ? 0 : which == 1 ? 0.5 : 0.95;
            vdi_cagrad(n, G, c, k, w);
            double sum = 0, least = HUGE_VAL, f = dual(n, G, c, w);
            for (int i = 0; i < n; i++) {
                sum += w[i];
                CHECK(w[i] >= 0);
                if (c == 0) CHECK_CLOSE(k[i], 1.0 / n, 1e-15);
            }
            CHECK_CLOSE(sum, 1, 1e-12);
            norm0 = away = 0;
            for (int l = 0; l < DIM; l++) {
                d[l] = g0[l] = 0;
                for (int i = 0; i < n; i++) {
                    d[l] += k[i] * g[i][l];
                    g0[l] += g[i][l] / n;
                }
                norm0 += g0[l] * g0[l];
                away += (d[l] - g0[l]) * (d[l] - g0[l]);
            }
            CHECK(sqrt(away) <= c * sqrt(norm0) * (1 + 1e-9) + 1e-13 * sqrt(norm0),
                  "off by %g, allowed %g", sqrt(away), c * sqrt(norm0));
            for (int i = 0; i < n; i++) {
                double s = 0;
                for (int l = 0; l < DIM; l++)
                    s += g[i][l] * d[l];
                least = fmin(least, s);
            }
            /* strong duality: the worst improvement is the dual's value */
            if (c > 0) {
                CHECK(fabs(least - f) <= 1e-6 * (fabs(f) + norm0),
                      "n %d, c %g: primal %.12g, dual %.12g", n, c, least, f);
            }
            if (n == 2 && c > 0) { /* golden section */
                double a = 0, b = 1, r = 0.6180339887498949;
                for (int it = 0; it < 200; it++) {
                    double x = b - r * (b - a);
                    double y = a + r * (b - a);
                    double wx[2] = {x, 1 - x};
                    double wy[2] = {y, 1 - y};
                    if (dual(2, G, c, wx) < dual(2, G, c, wy))
                        b = y;
                    else
                        a = x;
                }
                double best[2] = {a, 1 - a};
                CHECK(dual(2, G, c, w) <= dual(2, G, c, best) + 1e-12 * fabs(f));
                if (a > 1e-6 && a < 1 - 1e-6) CHECK_CLOSE(w[0], a, 1e-6);
            }
            if (n == 3 && c > 0) { /* the simplex on a grid */
                double best = HUGE_VAL;
                for (int i = 0; i <= 300; i++) {
                    for (int j = 0; i + j <= 300; j++) {
                        double x[3] = {i / 300.0, j / 300.0, (300 - i - j) / 300.0};
                        best = fmin(best, dual(3, G, c, x));
                    }
                }
                CHECK(f <= best + 1e-12 * fabs(best), "the grid found %.12g, below %.12g", best, f);
            }
        }
    }
}

/* ---- gradients of the action ----------------------------------------------------------------- */

TEST(sacd, gradients_of_the_action) {
    for (int dtype = 0; dtype < 2; dtype++) {
        const vdi_dtype t = dtype ? VDI_F64 : VDI_F32;
        const double tolerance = dtype ? 1e-6 : 1e-3;
        enum { N = 21 };
        vdi_error err = {0};
        vdi_critic_desc d = VDI__ZERO;
        vdi_critic *c = NULL, *exact = NULL;
        double x[N * OBS], a[N * ACT], influence[N * HEADS], composite[N],
            weights[HEADS] = {1, -0.5, 2, 0.25};
        double grad64[N * HEADS * ACT], slope64[N * ACT], up[N * HEADS], down[N * HEADS], cu[N],
            cd[N];
        float xf[N * OBS], af[N * ACT], gradf[N * HEADS * ACT], slopef[N * ACT];
        unsigned long long seed = 11;
        d.observations = OBS;
        d.actions = ACT;
        d.heads = HEADS;
        d.layers = 3;
        d.hidden[0] = 20;
        d.hidden[1] = 16;
        d.hidden[2] = 12;
        d.batch = 8;
        d.dtype = t;
        CHECK_OK(vdi_critic_create(&d, &c, &err), err);
        d.dtype = VDI_F64; /* the same weights, for differences that are not drowned in rounding */
        CHECK_OK(vdi_critic_create(&d, &exact, &err), err);
        const vdi_state *from = vdi_critic_state(c, true), *to = vdi_critic_state(exact, true);
        for (int64_t i = 0; i < from->tensor_count; i++)
            CHECK_OK(vdi_tensor_copy(to->tensors[i].tensor, from->tensors[i].tensor, &err), err);
        for (int i = 0; i < N * OBS; i++) {
            xf[i] = (float)test_normal(&seed);
            x[i] = (double)xf[i];
        }
        for (int i = 0; i < N * ACT; i++) {
            af[i] = (float)(2 * test_uniform(&seed) - 1);
            a[i] = (double)af[i];
        }
        const void *px = dtype ? (const void *)x : (const void *)xf;
        const void *pa = dtype ? (const void *)a : (const void *)af;
        vdi_critic_action_grad(c, VDI_CRITIC_FIRST, N, px, pa,
                               dtype ? (void *)grad64 : (void *)gradf);
        if (!dtype) {
            for (int i = 0; i < N * HEADS * ACT; i++)
                grad64[i] = (double)gradf[i];
        }
        vdi_critic_influence(c, N, px, pa, weights, influence);
        double worst = 0;
        for (int k = 0; k < ACT; k++) {
            const double h = 1e-6;
            for (int b = 0; b < N; b++)
                a[b * ACT + k] += h;
            vdi_critic_values(exact, VDI_CRITIC_FIRST, N, x, a, up);
            for (int b = 0; b < N; b++)
                a[b * ACT + k] -= 2 * h;
            vdi_critic_values(exact, VDI_CRITIC_FIRST, N, x, a, down);
            for (int b = 0; b < N; b++)
                a[b * ACT + k] += h;
            for (int i = 0; i < N * HEADS; i++) {
                const double fd = (up[i] - down[i]) / (2 * h);
                worst = test_worst(worst, fabs(grad64[i * ACT + k] - fd));
                up[i] = fd;
            }
            CHECK(worst < tolerance, "component gradient off by %g", worst);
        }
        for (int i = 0; i < N * HEADS; i++) {
            const double norm = sqrt(grad64[i * ACT] * grad64[i * ACT] +
                                     grad64[i * ACT + 1] * grad64[i * ACT + 1]) *
                                fabs(weights[i % HEADS]);
            CHECK(fabs(influence[i] - norm) <= 1e-5 * norm, "influence %g, expected %g",
                  influence[i], norm);
        }
        for (int rule = 0; rule < 2; rule++) { /* the slope of the twins' minimum */
            vdi_critic_best(c, 0, (vdi_critic_rule)rule, N, px, pa, weights, NULL, composite,
                            dtype ? (void *)slope64 : (void *)slopef);
            if (!dtype) {
                for (int i = 0; i < N * ACT; i++)
                    slope64[i] = (double)slopef[i];
            }
            for (int k = 0; k < ACT; k++) {
                const double h = 1e-7;
                for (int b = 0; b < N; b++)
                    a[b * ACT + k] += h;
                vdi_critic_best(exact, 0, (vdi_critic_rule)rule, N, x, a, weights, NULL, cu, NULL);
                for (int b = 0; b < N; b++)
                    a[b * ACT + k] -= 2 * h;
                vdi_critic_best(exact, 0, (vdi_critic_rule)rule, N, x, a, weights, NULL, cd, NULL);
                for (int b = 0; b < N; b++)
                    a[b * ACT + k] += h;
                for (int b = 0; b < N; b++) {
                    CHECK_CLOSE(slope64[b * ACT + k], (cu[b] - cd[b]) / (2 * h),
                                fmax(tolerance, 1e-6));
                    CHECK_CLOSE(composite[b], (cu[b] + cd[b]) / 2, 1e-5);
                }
            }
        }
        vdi_critic_destroy(c);
        vdi_critic_destroy(exact);
    }
}

/* ---- one update against the tape ------------------------------------------------------------- */

typedef struct taped {
    vdi_var w[3], b[3];
    vdi_tensor grad[6]; /* w0 b0 w1 b1 w2 b2 */
} taped;

static void taped_net(vdi_tape *t, const vdi_state *s, const char *prefix, int learns, taped *out) {
    for (int l = 0; l < 3; l++) {
        for (int bias = 0; bias < 2; bias++) {
            char name[64];
            vdi_error err = {0};
            snprintf(name, sizeof name, "%s.%d.%s", prefix, l, bias ? "bias" : "weight");
            vdi_tensor v = state_find(s, name);
            vdi_var *to = bias ? &out->b[l] : &out->w[l];
            if (learns) {
                CHECK_OK(vdi_tensor_alloc(NULL, VDI_F64, v.ndim, v.shape, &out->grad[2 * l + bias],
                                          &err),
                         err);
                *to = vdi_tape_leaf(t, v, out->grad[2 * l + bias]);
            } else {
                *to = vdi_tape_constant(t, v);
            }
        }
    }
}
static vdi_var taped_apply(vdi_tape *t, const taped *n, vdi_var x) {
    for (int l = 0; l < 3; l++)
        x = vdi_var_affine(t, x, n->w[l], n->b[l], l < 2 ? VDI_ACT_RELU : VDI_ACT_NONE, 0);
    return x;
}
static vdi_var taped_sample(vdi_tape *t, const taped *policy, vdi_var obs, double *noise,
                            vdi_var *log_pi) {
    vdi_var out = taped_apply(t, policy, obs);
    vdi_var mean = vdi_var_slice(t, out, 1, 0, 1, ACT);
    vdi_var raw = vdi_var_slice(t, out, 1, ACT, 1, ACT);
    vdi_var eps = vdi_tape_constant(t, vdi_tensor_2d(noise, VDI_F64, BATCH, ACT));
    return vdi_var_tanh_normal_sample(t, mean, vdi_var_clip(t, raw, -20, 2), eps, log_pi);
}

TEST(sacd, an_update_equals_the_tape) {
    for (int algo = 0; algo <= VDI_SACD_SAC; algo++) {
        vdi_error err = {0};
        vdi_sacd_desc d = small_desc((vdi_sacd_algo)algo, VDI_F64);
        const int heads = algo == VDI_SACD_SAC ? 1 : HEADS;
        double weights[HEADS] = {1, 0.5, -0.7, 1};
        d.weights = weights;
        d.cagrad_c = 0.6;
        d.has_cagrad_c = true;
        vdi_sacd *agent = NULL;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        remember(agent, PAST + 7);
        const vdi_state *s = vdi_sacd_state(agent, true);
        /* one log sd beyond its limit: no gradient */
        ((double *)state_find(s, "policy.2.bias").data)[2 * ACT - 1] = 5;
        const double alpha = exp(-0.7), gamma = 0.99, tau = 0.005;
        /* what the update will draw */
        static double obs[BATCH * OBS], action[BATCH * ACT], next[BATCH * OBS],
            noise[2][BATCH * ACT], q[2][BATCH * HEADS], y[BATCH * HEADS];
        vdi_transition r[BATCH];
        vdi_rng rng = vdi_rng_make(d.seed, (uint64_t)2 << 56);
        for (int b = 0; b < BATCH; b++) {
            r[b] = vdi_replay_get(vdi_sacd_replay(agent), (int64_t)vdi_rng_below(&rng, PAST));
            for (int i = 0; i < OBS; i++) {
                obs[b * OBS + i] = (double)r[b].obs[i];
                next[b * OBS + i] = (double)r[b].next[i];
            }
            for (int i = 0; i < ACT; i++)
                action[b * ACT + i] = (double)r[b].action[i];
        }
        for (int k = 0; k < 2; k++) {
            rng = vdi_rng_make(d.seed, (uint64_t)(3 + k) << 56);
            vdi_rng_fill_normal(&rng, VDI_F64, BATCH * ACT, noise[k]);
        }
        vdi_tape_desc td = vdi_tape_desc_defaults();
        vdi_tape *t = NULL;
        td.dtype = VDI_F64;
        CHECK_OK(vdi_tape_create(&td, &t, &err), err);
        /* targets */
        taped policy, frozen[2], target[2], critic[2], fixed;
        taped_net(t, s, "policy", 1, &policy);
        taped_net(t, s, "policy", 0, &fixed);
        for (int j = 0; j < 2; j++) {
            taped_net(t, s, j ? "critic1" : "critic0", 1, &critic[j]);
            taped_net(t, s, j ? "critic1" : "critic0", 0, &frozen[j]);
            taped_net(t, s, j ? "target1" : "target0", 0, &target[j]);
        }
        vdi_var parts[2], log_pi, o = vdi_tape_constant(t, vdi_tensor_2d(obs, VDI_F64, BATCH, OBS));
        parts[0] = vdi_tape_constant(t, vdi_tensor_2d(next, VDI_F64, BATCH, OBS));
        parts[1] = taped_sample(t, &fixed, parts[0], noise[0], &log_pi);
        vdi_var x = vdi_var_concat(t, parts, 2, 1);
        for (int j = 0; j < 2; j++) {
            memcpy(q[j], vdi_tape_value(t, taped_apply(t, &target[j], x)).data,
                   sizeof(double) * (size_t)(BATCH * heads));
        }
        const double *lp = (const double *)vdi_tape_value(t, log_pi).data;
        for (int b = 0; b < BATCH; b++) {
            double sum[2] = {0, 0}, keep = r[b].end & VDI_ENV_TERMINATED ? 0 : gamma;
            for (int i = 0; i < heads; i++) {
                for (int j = 0; j < 2; j++)
                    sum[j] += (algo == VDI_SACD_SAC ? 1 : weights[i]) * q[j][b * heads + i];
            }
            for (int i = 0; i < heads; i++) {
                int j = sum[1] < sum[0];
                if (algo == VDI_SACD_NAIVE)
                    j = weights[i] * q[1][b * heads + i] < weights[i] * q[0][b * heads + i];
                double reward = i < M ? (double)r[b].reward[i] : 0;
                if (algo == VDI_SACD_SAC) {
                    reward = weights[0] * (double)r[b].reward[0] +
                             weights[1] * (double)r[b].reward[1] +
                             weights[2] * (double)r[b].reward[2];
                }
                y[b * heads + i] =
                    reward + keep * (q[j][b * heads + i] - (i == heads - 1 ? alpha * lp[b] : 0));
            }
        }
        /* critics: the loss of each head by itself, so that CAGrad can be checked too */
        parts[0] = o;
        parts[1] = vdi_tape_constant(t, vdi_tensor_2d(action, VDI_F64, BATCH, ACT));
        x = vdi_var_concat(t, parts, 2, 1);
        vdi_var losses[2];
        for (int j = 0; j < 2; j++) {
            vdi_var e = vdi_var_sub(t, taped_apply(t, &critic[j], x),
                                    vdi_tape_constant(t, vdi_tensor_2d(y, VDI_F64, BATCH, heads)));
            losses[j] = vdi_var_mean_axis(t, vdi_var_square(t, e), 0, false);
        }
        /* policy */
        parts[1] = taped_sample(t, &policy, o, noise[1], &log_pi);
        x = vdi_var_concat(t, parts, 2, 1);
        double plain = 1;
        vdi_var w = vdi_tape_constant(
                    t, vdi_tensor_1d(algo == VDI_SACD_SAC ? &plain : weights, VDI_F64, heads)),
                value[2], best;
        for (int j = 0; j < 2; j++) {
            value[j] = vdi_var_mul(t, taped_apply(t, &frozen[j], x), w);
            if (algo != VDI_SACD_NAIVE) value[j] = vdi_var_sum_axis(t, value[j], 1, false);
        }
        best = vdi_var_binary(t, VDI_MIN, value[0], value[1]);
        if (algo == VDI_SACD_NAIVE) best = vdi_var_sum_axis(t, best, 1, false);
        vdi_var loss =
            vdi_var_mean(t, vdi_var_sub(t, vdi_var_scale_shift(t, log_pi, alpha, 0), best));
        const double policy_loss = vdi_tape_item(t, loss);
        const double mean_log_pi = vdi_tape_item(t, vdi_var_mean(t, log_pi));
        CHECK_OK(vdi_tape_backward(t, loss), err);
        /* the critics' gradients head by head, before the update moves the weights under the
         * tape */
        static double g[2][HEADS][512], G[HEADS * HEADS], k[2][HEADS], loss_of[HEADS];
        for (int i = 0; i < heads; i++) {
            loss_of[i] = (((const double *)vdi_tape_value(t, losses[0]).data)[i] +
                          ((const double *)vdi_tape_value(t, losses[1]).data)[i]) /
                         2;
        }
        for (int j = 0; j < 2; j++) {
            int64_t total = 0;
            for (int i = 0; i < heads; i++) {
                total = 0;
                for (int l = 0; l < 6; l++)
                    vdi_tensor_fill(critic[j].grad[l], 0);
                vdi_tape_backward(t, vdi_var_index(t, losses[j], 0, i));
                for (int l = 0; l < 6; l++) {
                    int64_t n = vdi_tensor_count(critic[j].grad[l]);
                    memcpy(g[j][i] + total, critic[j].grad[l].data, (size_t)n * sizeof(double));
                    total += n;
                }
            }
            for (int a = 0; a < heads; a++) {
                for (int b = 0; b < heads; b++)
                    G[a * heads + b] = vdi_dot(VDI_F64, (size_t)total, g[j][a], g[j][b]);
            }
            vdi_cagrad(heads, G, algo == VDI_SACD_CAGRAD ? 0.6 : 0, k[j], NULL);
        }
        /* the update; its gradient is ten times Adam's first memory */
        double *old = (double *)malloc(sizeof(double) * 4096);
        vdi_tensor watched = state_find(s, "target0.1.weight");
        vdi_tensor live = state_find(s, "critic0.1.weight");
        memcpy(old, watched.data, vdi_tensor_bytes(watched));
        vdi_sacd_stats stats;
        CHECK_OK(vdi_sacd_update(agent, &stats, &err), err);
        CHECK_CLOSE(stats.policy_loss, policy_loss, 1e-12);
        double gram[HEADS * HEADS]; /* G is the second twin's */
        vdi_status told = vdi_critic_gram(vdi_sacd_critic(agent), 1, gram, &err);
        CHECK(told == (algo == VDI_SACD_CAGRAD ? VDI_OK : VDI_ERR_STATE), "%s: status %d",
              vdi_sacd_algo_name(d.algo), told);
        for (int i = 0; told == VDI_OK && i < heads * heads; i++) {
            CHECK(fabs(gram[i] - G[i]) < 1e-10 * (1 + fabs(G[i])), "Gram matrix: %.17g, not %.17g",
                  gram[i], G[i]);
        }
        CHECK_CLOSE(stats.entropy, -mean_log_pi, 1e-12);
        for (int i = 0; i < heads; i++)
            CHECK_CLOSE(stats.loss[i], loss_of[i], 1e-12);
        for (int64_t i = 0; i < vdi_tensor_count(watched); i++) {
            CHECK_CLOSE(((double *)watched.data)[i],
                        (1 - tau) * old[i] + tau * ((double *)live.data)[i], 1e-15);
        }
        free(old);
        double worst = 0;
        for (int l = 0; l < 6; l++) {
            char name[64];
            snprintf(name, sizeof name, "policy.m.%d.%s", l / 2, l % 2 ? "bias" : "weight");
            vdi_tensor m = state_find(s, name);
            for (int64_t i = 0; i < vdi_tensor_count(m); i++) {
                worst = test_worst(
                    worst, fabs(10 * ((double *)m.data)[i] - ((double *)policy.grad[l].data)[i]));
            }
        }
        CHECK(worst < 1e-13, "%s: gradient of the policy off by %g", vdi_sacd_algo_name(d.algo),
              worst);
        CHECK_CLOSE(vdi_sacd_alpha(agent), exp(-0.7 - 3e-4 * (-(mean_log_pi - ACT) > 0 ? 1 : -1)),
                    1e-9);
        for (int j = 0; j < 2; j++) {
            int64_t at = 0;
            worst = 0;
            for (int l = 0; l < 6; l++) {
                char name[64];
                snprintf(name, sizeof name, "critic%d.m.%d.%s", j, l / 2,
                         l % 2 ? "bias" : "weight");
                vdi_tensor m = state_find(s, name);
                for (int64_t i = 0; i < vdi_tensor_count(m); i++, at++) {
                    double sum = 0;
                    for (int a = 0; a < heads; a++)
                        sum += k[j][a] * g[j][a][at];
                    worst = test_worst(worst, fabs(10 * ((double *)m.data)[i] - sum));
                }
            }
            CHECK(worst < (algo == VDI_SACD_CAGRAD ? 1e-9 : 1e-12),
                  "%s: gradient of twin %d off by %g", vdi_sacd_algo_name(d.algo), j, worst);
        }
        for (int l = 0; l < 6; l++) {
            vdi_tensor_free(NULL, &policy.grad[l]);
            for (int j = 0; j < 2; j++)
                vdi_tensor_free(NULL, &critic[j].grad[l]);
        }
        vdi_tape_destroy(t);
        vdi_sacd_destroy(agent);
    }
}

/* ---- bits ------------------------------------------------------------------------------------ */

TEST(sacd, the_same_bits) {
    for (int algo = 0; algo <= VDI_SACD_SAC; algo++) {
        for (int dtype = 0; dtype < 2; dtype++) {
            vdi_error err = {0};
            vdi_env env[3];
            vdi_pool *pool = NULL;
            vdi_sacd *agent[3] = {NULL, NULL, NULL};
            vdi_sacd_episode episode[3];
            vdi_sacd_desc d = VDI__ZERO;
            memset(episode, 0, sizeof episode);
            d.observations = 3;
            d.actions = 1;
            d.components = 3;
            d.algo = (vdi_sacd_algo)algo;
            d.dtype = dtype ? VDI_F64 : VDI_F32;
            d.layers = 2;
            d.hidden[0] = 150;
            d.hidden[1] = 17;
            d.batch = 53;
            d.start = 180;
            d.capacity = 230;
            d.seed = 5;
            d.update_every = dtype ? 3 : 1;
            CHECK_OK(vdi_pool_create(3, NULL, &pool, &err), err);
            for (int k = 0; k < 3; k++) {
                d.pool = k == 1 ? pool : NULL;
                CHECK_OK(vdi_env_pendulum(&env[k]), err);
                CHECK_OK(vdi_sacd_create(&d, &agent[k], &err), err);
            }
            for (int step = 0; step < 260; step++) {
                for (int k = 0; k < 3; k++) {
                    if (k == 2 && step < 200) continue;
                    CHECK_OK(vdi_sacd_step(agent[k], &env[k], &episode[k], NULL, &err), err);
                }
                if (step == 199) {
                    vdi_sacd_expect(agent[2], vdi_replay_added(vdi_sacd_replay(agent[0])));
                    const vdi_state *from = vdi_sacd_state(agent[0], true);
                    const vdi_state *to = vdi_sacd_state(agent[2], true);
                    for (int64_t i = 0; i < from->tensor_count; i++) {
                        CHECK(!strcmp(from->tensors[i].name, to->tensors[i].name));
                        CHECK_OK(
                            vdi_tensor_copy(to->tensors[i].tensor, from->tensors[i].tensor, &err),
                            err);
                    }
                    episode[2].index = episode[0].index + 1;
                }
            }
            CHECK(state_same(vdi_sacd_state(agent[0], true), vdi_sacd_state(agent[1], true)),
                  "%s %d: threads show in the bits", vdi_sacd_algo_name(d.algo), dtype);
            CHECK(state_same(vdi_sacd_state(agent[0], true), vdi_sacd_state(agent[2], true)),
                  "%s %d: a resumed run differs", vdi_sacd_algo_name(d.algo), dtype);
            for (int k = 0; k < 3; k++) {
                vdi_sacd_destroy(agent[k]);
                vdi_env_close(&env[k]);
            }
            vdi_pool_destroy(pool);
        }
    }
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

TEST(sacd, an_update_is_a_transaction) {
    vdi_error err = {0};
    for (int algo = 0; algo <= VDI_SACD_SAC; algo++) {
        vdi_sacd_desc d = small_desc((vdi_sacd_algo)algo, VDI_F32);
        vdi_sacd *agent = NULL;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        CHECK_FAILS(vdi_sacd_update(agent, NULL, &err), VDI_ERR_STATE);
        remember(agent, PAST);
        for (int k = 0; k < 3; k++)
            CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
        float x[OBS] = {0, 0, 0}, a[ACT] = {0, 0}, r[M] = {0, NAN, 0};
        CHECK_FAILS(vdi_sacd_observe(agent, x, a, r, x, 0, &err), VDI_ERR_DATA);
        r[1] = 1e30f; /* finite, but not its square */
        for (int k = 0; k < PAST; k++)
            CHECK_OK(vdi_sacd_observe(agent, x, a, r, x, 0, &err), err);
        size_t before_size, after_size;
        char *before = state_bytes(vdi_sacd_state(agent, true), &before_size);
        CHECK_FAILS(vdi_sacd_update(agent, NULL, &err), VDI_ERR_NUMERIC);
        CHECK(strstr(err.message, "critics") != NULL, "%s", err.message);
        char *after = state_bytes(vdi_sacd_state(agent, true), &after_size);
        CHECK(before_size == after_size && memcmp(before, after, before_size) == 0,
              "a refused update has left something behind");
        free(before);
        free(after);
        remember(agent, PAST); /* it goes on once the data are sound again */
        CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
        float *record = (float *)state_find(vdi_sacd_state(agent, true), "replay").data;
        float keep = record[2 * OBS + ACT + M];
        for (int k = 0; k < 2; k++) { /* a past that somebody has spoilt */
            record[2 * OBS + ACT + M] = k ? NAN : 1e30f;
            (void)vdi_sacd_state(agent, true);
            CHECK_FAILS(vdi_sacd_update(agent, NULL, &err), VDI_ERR_NUMERIC);
        }
        record[2 * OBS + ACT + M] = keep;
        CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
        ((float *)state_find(vdi_sacd_state(agent, false), "policy.1.weight").data)[3] = NAN;
        CHECK_FAILS(vdi_sacd_update(agent, NULL, &err), VDI_ERR_NUMERIC);
        vdi_sacd_destroy(agent);
    }
}

TEST(sacd, memory_and_descriptions) {
    vdi_error err = {0};
    test_allocator count = {0};
    vdi_allocator a = test_allocator_of(&count);
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = small_desc(VDI_SACD_CAGRAD, VDI_F32);
    d.allocator = &a;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    remember(agent, PAST);
    const long made = count.requests;
    float x[OBS] = {1, 2, 3}, action[ACT];
    double weights[HEADS] = {1, 2, 3, 1}, back[HEADS], influence[HEADS];
    for (int k = 0; k < 5; k++)
        CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
    for (int k = 0; k < 5; k++)
        vdi_sacd_act(agent, x, k % 2 == 0, action);
    CHECK_OK(vdi_sacd_set_weights(agent, weights, &err), err);
    vdi_critic_influence(vdi_sacd_critic(agent), 1, x, action, weights, influence);
    (void)vdi_sacd_state(agent, true);
    CHECK(count.requests == made, "%ld allocations after create", count.requests - made);
    vdi_sacd_weights(agent, back);
    CHECK(memcmp(back, weights, sizeof back) == 0);
    /* metadata lead back to the description */
    vdi_sacd_desc read;
    const vdi_state *s = vdi_sacd_state(agent, false);
    CHECK_OK(vdi_sacd_desc_from_meta(s->meta, s->meta_count, &read, &err), err);
    CHECK(read.observations == OBS && read.components == M && read.layers == 2 &&
          read.hidden[1] == 7 && read.algo == VDI_SACD_CAGRAD && read.seed == 3 &&
          read.rate == 3e-4 && read.target_entropy == -ACT && read.batch == BATCH);
    CHECK_FAILS(vdi_sacd_desc_from_meta(s->meta, 3, &read, &err), VDI_ERR_FORMAT);
    vdi_sacd_destroy(agent);
    CHECK(count.live == 0);
    for (long at = 1; at <= made; at++) {
        count.requests = 0;
        count.fail_at = at;
        CHECK_FAILS(vdi_sacd_create(&d, &agent, &err), VDI_ERR_MEMORY);
        CHECK(agent == NULL && count.live == 0, "request %ld: %ld blocks are left", at, count.live);
    }
    count.fail_at = 0;
    static const char *const field[] = {"observations", "actions", "components",   "gamma",
                                        "rate",         "tau",     "batch",        "heads",
                                        "cagrad_c",     "hidden",  "update_every", "weights"};
    for (int k = 0; k < 12; k++) {
        vdi_sacd_desc bad = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
        if (k == 0) bad.observations = 0;
        if (k == 1) bad.actions = 1000;
        if (k == 2 || k == 7) bad.components = -1;
        if (k == 3) bad.gamma = 1.5;
        if (k == 4) bad.rate = NAN;
        if (k == 5) bad.tau = -1;
        if (k == 6) bad.batch = -4;
        if (k == 8) {
            bad.cagrad_c = 1;
            bad.has_cagrad_c = true;
        }
        if (k == 9) bad.hidden[1] = -3;
        if (k == 10) bad.update_every = -1;
        if (k == 11) {
            weights[2] = INFINITY;
            bad.weights = weights;
        }
        CHECK_FAILS(vdi_sacd_create(&bad, &agent, &err), VDI_ERR_ARGUMENT);
        if (k != 7) CHECK(strstr(err.message, field[k]) != NULL, "%s: %s", field[k], err.message);
    }
    vdi_sacd_destroy(NULL);
    vdi_critic_destroy(NULL);
}

TEST(sacd, actions_and_weights) {
    vdi_error err = {0};
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F64);
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    float x[OBS] = {0.3f, -1, 0.5f}, action[ACT];
    double x64[OBS] = {(double)x[0], (double)x[1], (double)x[2]};
    double mean[ACT];
    double log_sd[ACT];
    double first[ACT] = {0, 0};
    double second[ACT] = {0, 0};
    vdi_sacd_policy(agent, 1, x64, mean, log_sd);
    vdi_sacd_act(agent, x, true, action);
    for (int k = 0; k < ACT; k++)
        CHECK_CLOSE(action[k], mean[k], 1e-6);
    const int n = 20000;
    for (int i = 0; i < n; i++) {
        vdi_sacd_act(agent, x, false, action);
        for (int k = 0; k < ACT; k++) {
            double u = (atanh((double)action[k]) - atanh(mean[k])) / exp(log_sd[k]);
            first[k] += u / n;
            second[k] += u * u / n;
        }
    }
    for (int k = 0; k < ACT; k++) {
        CHECK_CLOSE(first[k], 0, 5 / sqrt(n));
        CHECK_CLOSE(second[k], 1, 5 * sqrt(2.0 / n));
    }
    for (int i = 0; i < 4; i++) { /* uniform before the start */
        vdi_sacd_explore(agent, x, action);
        for (int k = 0; k < ACT; k++)
            CHECK(fabsf(action[k]) <= 1);
    }
    CHECK(!vdi_sacd_due(agent));
    double w[HEADS];
    CHECK_OK(vdi_sacd_schedule_weight(agent, 1, 0.2, 1.0, 10, 20, &err), err);
    CHECK_FAILS(vdi_sacd_schedule_weight(agent, HEADS, 0, 1, 0, 1, &err), VDI_ERR_ARGUMENT);
    for (int step = 0; step <= 40; step++) {
        vdi_sacd_weights(agent, w);
        CHECK_CLOSE(w[1], step < 10 ? 0.2 : step > 30 ? 1.0 : 0.2 + 0.8 * (step - 10) / 20, 1e-12);
        CHECK(w[0] == 1 && w[3] == 1);
        remember(agent, 1);
    }
    CHECK(vdi_sacd_due(agent));
    vdi_sacd_destroy(agent);
}

/* ---- learning -----------------------------------------------------------------------------------
 */

TEST(sacd, a_critic_fits_its_targets) {
    enum { N = 64 };
    vdi_error err = {0};
    for (int gradient = 0; gradient < 2; gradient++) {
        vdi_critic_desc d = VDI__ZERO;
        vdi_critic *c = NULL;
        vdi_critic_stats stats;
        unsigned long long seed = 21;
        static float x[N * 2], a[N], y[N * 2];
        double begin = 0;
        d.observations = 2;
        d.actions = 1;
        d.heads = 2;
        d.layers = 2;
        d.hidden[0] = d.hidden[1] = 32;
        d.batch = N;
        d.rate = 3e-3;
        d.gradient = (vdi_critic_gradient)gradient;
        CHECK_OK(vdi_critic_create(&d, &c, &err), err);
        CHECK_FAILS(vdi_critic_fit(c, N + 1, x, a, y, &stats, &err), VDI_ERR_ARGUMENT);
        for (int k = 0; k < 600; k++) {
            for (int b = 0; b < N; b++) {
                x[2 * b] = (float)test_normal(&seed);
                x[2 * b + 1] = (float)test_normal(&seed);
                a[b] = (float)(2 * test_uniform(&seed) - 1);
                y[2 * b] = x[2 * b] + a[b];
                y[2 * b + 1] = a[b] * x[2 * b + 1];
            }
            CHECK_OK(vdi_critic_fit(c, N, x, a, y, &stats, &err), err);
            if (k == 0) begin = stats.loss[0] + stats.loss[1];
        }
        CHECK(stats.loss[0] + stats.loss[1] < 0.05 * begin, "from %g to %g", begin,
              stats.loss[0] + stats.loss[1]);
        CHECK(vdi_critic_fits(c) == 600);
        vdi_critic_destroy(c);
    }
}

TEST(sacd, learns_the_pendulum) {
    NEED_NATIVE();
    vdi_error err = {0};
    vdi_env env;
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = VDI__ZERO;
    vdi_sacd_episode e = VDI__ZERO;
    CHECK_OK(vdi_env_pendulum(&env), err);
    d.observations = 3;
    d.actions = 1;
    d.components = 3;
    d.layers = 2;
    d.hidden[0] = d.hidden[1] = 32;
    d.batch = 64;
    d.start = 200;
    d.capacity = 5000;
    d.rate = 2e-3;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    for (int step = 0; step < 5000; step++)
        CHECK_OK(vdi_sacd_step(agent, &env, &e, NULL, &err), err);
    double mean = 0;
    for (int k = 0; k < 10; k++) {
        double sums[3];
        int64_t steps;
        CHECK_OK(vdi_sacd_play(agent, &env, 77, (uint64_t)k, sums, &steps, &err), err);
        mean += (sums[0] + sums[1] + sums[2]) / 10;
        CHECK(steps == 200);
    }
    CHECK(mean > -350, "mean return %g, random play is at -1190", mean);
    vdi_sacd_destroy(agent);
    vdi_env_close(&env);
}

/* ---- what explains a decision -------------------------------------------------------------------
 */

TEST(sacd, a_trace_and_its_returns) {
    vdi_error err = {0};
    for (int algo = 0; algo <= VDI_SACD_SAC; algo += VDI_SACD_SAC) {
        vdi_env env;
        vdi_sacd *agent = NULL;
        vdi_sacd_trace *trace = NULL, *again = NULL;
        vdi_sacd_desc d = VDI__ZERO;
        test_allocator count = {0};
        vdi_allocator a = test_allocator_of(&count);
        CHECK_OK(vdi_env_pendulum(&env), err);
        d.observations = 3;
        d.actions = 1;
        d.components = 3;
        d.layers = 1;
        d.hidden[0] = 12;
        d.gamma = 0.9;
        d.algo = (vdi_sacd_algo)algo;
        d.dtype = algo ? VDI_F64 : VDI_F32;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        CHECK_OK(vdi_sacd_trace_create(agent, 300, &a, &trace, &err), err);
        CHECK_OK(vdi_sacd_trace_create(agent, 300, &a, &again, &err), err);
        const long made = count.requests;
        CHECK_OK(vdi_sacd_trace_play(trace, agent, &env, 5, 2, false, &err), err);
        CHECK_OK(vdi_sacd_trace_play(again, agent, &env, 5, 2, false, &err), err);
        const int64_t n = trace->steps, heads = trace->heads;
        CHECK(n == 200 && trace->end == VDI_ENV_TRUNCATED && count.requests == made &&
              heads == (algo ? 1 : 4));
        CHECK(memcmp(trace->returns, again->returns, sizeof(double) * (size_t)(n * heads)) == 0,
              "the same episode differs");
        /* the returns' recursion, forwards this time */
        const double alpha = vdi_sacd_alpha(agent);
        for (int64_t k = 0; k < n; k += 13) {
            for (int64_t i = 0; i < heads; i++) {
                double sum = 0, power = 1;
                for (int64_t j = k; j < n; j++, power *= 0.9) {
                    if (j > k && i == heads - 1) sum -= power * alpha * trace->log_pi[j];
                    if (j == n - 1) {
                        sum += power * trace->value[j * heads + i];
                    } else if (algo) {
                        sum += power *
                               ((double)trace->reward[j * 3] + (double)trace->reward[j * 3 + 1] +
                                (double)trace->reward[j * 3 + 2]);
                    } else if (i < 3) {
                        sum += power * (double)trace->reward[j * 3 + i];
                    }
                }
                CHECK_CLOSE(trace->returns[k * heads + i], sum, 1e-9 * (1 + fabs(sum)));
            }
        }
        for (int64_t k = 0; k < n && algo; k++) {
            /* log pi against the density of atanh(a), for the agent in double */
            double obs[3], mean, log_sd, act = (double)trace->action[k];
            for (int i = 0; i < 3; i++)
                obs[i] = (double)trace->obs[k * 3 + i];
            vdi_sacd_policy(agent, 1, obs, &mean, &log_sd);
            const double z = (atanh(act) - atanh(mean)) / exp(log_sd);
            const double expected = -0.5 * z * z - log_sd - 0.5 * VDI_LOG_2PI - log(1 - act * act);
            if (fabs(act) < 0.999) CHECK_CLOSE(trace->log_pi[k], expected, 1e-3);
        }
        CHECK_OK(vdi_sacd_trace_play(trace, agent, &env, 5, 2, true, &err), err);
        CHECK(trace->log_pi[7] == 0);
        vdi_sacd_trace_destroy(again);
        vdi_sacd_trace_destroy(trace);
        CHECK(count.live == 0);
        /* cut short */
        CHECK_OK(vdi_sacd_trace_create(agent, 50, NULL, &trace, &err), err);
        CHECK_OK(vdi_sacd_trace_play(trace, agent, &env, 5, 2, false, &err), err);
        CHECK(trace->steps == 50 && trace->end == 0);
        vdi_sacd_trace_destroy(trace);
        CHECK_FAILS(vdi_sacd_trace_create(agent, 0, NULL, &trace, &err), VDI_ERR_ARGUMENT);
        vdi_sacd_destroy(agent);
        vdi_env_close(&env);
    }
}

TEST(sacd, explanations) {
    vdi_error err = {0};
    unsigned long long seed = 31;
    /* value against return: a head that is right, one that is scaled and shifted, one that knows
     * nothing */
    vdi_value_check check = VDI__ZERO;
    enum { N = 20000 };
    for (int k = 0; k < N; k++) {
        double g[3] = {test_normal(&seed), 3 * test_normal(&seed), test_normal(&seed)};
        double q[3] = {g[0], 2 * g[1] + 5, test_normal(&seed)};
        vdi_value_check_pairs(&check, 1, 3, q, g);
    }
    vdi_value_error e = vdi_value_check_head(&check, 0);
    CHECK(e.count == N && fabs(e.bias) < 1e-12 && e.rmse < 1e-7 && fabs(e.slope - 1) < 1e-12 &&
          fabs(e.explained - 1) < 1e-12);
    e = vdi_value_check_head(&check, 1);
    CHECK_CLOSE(e.bias, 5, 0.1);
    CHECK_CLOSE(e.slope, 0.5, 1e-9);
    CHECK_CLOSE(e.explained, 0, 1e-9); /* as far off as a constant would be */
    CHECK_CLOSE(e.rmse, sqrt(25 + 9), 0.2);
    e = vdi_value_check_head(&check, 2);
    CHECK_CLOSE(e.slope, 0, 0.03);
    CHECK_CLOSE(e.explained, -1, 0.05);
    check.count = 0;
    CHECK(isnan(vdi_value_check_head(&check, 0).bias));
    /* what-if against the critic's own minimum, and a search */
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F64);
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    enum { CANDIDATES = 65 };
    float obs[OBS] = {0.5f, -1, 2}, actions[CANDIDATES * ACT], mean[ACT];
    double q0[CANDIDATES * HEADS], q1[CANDIDATES * HEADS], x[CANDIDATES * OBS], a[CANDIDATES * ACT],
        composite[CANDIDATES], value;
    vdi_rng rng = vdi_rng_make(1, 2);
    vdi_sacd_candidates(agent, obs, &rng, CANDIDATES, actions);
    vdi_sacd_act(agent, obs, true, mean);
    CHECK(actions[0] == mean[0] && actions[1] == mean[1]);
    vdi_sacd_action_values(agent, obs, CANDIDATES, actions, q0, q1);
    for (int k = 0; k < CANDIDATES; k++) {
        for (int i = 0; i < OBS; i++)
            x[k * OBS + i] = (double)obs[i];
        for (int i = 0; i < ACT; i++)
            a[k * ACT + i] = (double)actions[k * ACT + i];
    }
    int64_t changed = 0, first = vdi_what_if(CANDIDATES, HEADS, NULL, q0, q1, NULL);
    for (int round = 0; round < 50; round++) {
        double w[HEADS];
        for (int i = 0; i < HEADS; i++)
            w[i] = test_normal(&seed);
        int64_t best = vdi_what_if(CANDIDATES, HEADS, w, q0, q1, &value), by_search = 0;
        vdi_critic_best(vdi_sacd_critic(agent), 0, VDI_CRITIC_COMPOSITE, CANDIDATES, x, a, w, NULL,
                        composite, NULL);
        for (int k = 1; k < CANDIDATES; k++)
            if (composite[k] > composite[by_search]) by_search = k;
        CHECK(best == by_search, "what-if says %d, the critic %d", (int)best, (int)by_search);
        CHECK_CLOSE(value, composite[best], 1e-12);
        changed += best != first;
    }
    CHECK(changed > 0, "no weights change anything");
    CHECK(vdi_what_if(0, HEADS, NULL, q0, q1, NULL) == -1);
    /* reasons: against all subsets */
    for (int round = 0; round < 2000; round++) {
        enum { R = 7 };
        double qa[R], qb[R], w[R], rdx[R], against = 0, favour = 0;
        bool plus[R], minus[R];
        for (int i = 0; i < R; i++) {
            qa[i] = test_normal(&seed);
            qb[i] = test_normal(&seed);
            w[i] = test_uniform(&seed);
        }
        double sum = vdi_reward_difference(R, w, qa, qb, rdx), direct = 0;
        for (int i = 0; i < R; i++) {
            direct += w[i] * (qa[i] - qb[i]);
            if (rdx[i] < 0)
                against -= rdx[i];
            else
                favour += rdx[i];
        }
        CHECK_CLOSE(sum, direct, 1e-12);
        int64_t size = vdi_minimal_explanation(R, rdx, plus, minus), fewest = -1, marked = 0;
        double taken = 0, least = HUGE_VAL;
        for (int i = 0; i < R; i++) {
            if (plus[i]) {
                marked++;
                taken += rdx[i];
                least = fmin(least, rdx[i]);
            }
        }
        for (int set = 0; set < 1 << R; set++) {
            double s = 0;
            int64_t members = 0;
            for (int i = 0; i < R; i++) {
                if (set >> i & 1) {
                    s += rdx[i];
                    members += 1 + (rdx[i] < 0 ? 100 : 0);
                }
            }
            if (s > against && members < 100 && (fewest < 0 || members < fewest)) fewest = members;
        }
        CHECK(size == fewest, "%d reasons, %d would do", (int)size, (int)fewest);
        if (size >= 0)
            CHECK(marked == size && taken > against);
        else
            CHECK(favour <= against);
        if (size < 0) continue;
        double left = 0;
        for (int i = 0; i < R; i++) {
            CHECK(!minus[i] || rdx[i] < 0);
            if (minus[i]) left -= rdx[i];
        }
        /* all there are, where they do not suffice */
        CHECK(left > taken - least || left == against);
    }
    /* influence over the past, and a schedule from it */
    double share[HEADS], weights[HEADS], total = 0;
    CHECK_FAILS(vdi_sacd_mean_influence(agent, &rng, 10, share, &err), VDI_ERR_STATE);
    remember(agent, PAST);
    CHECK_OK(vdi_sacd_mean_influence(agent, &rng, 200, share, &err), err);
    for (int i = 0; i < HEADS; i++)
        total += share[i];
    CHECK_CLOSE(total, 1, 1e-3);
    double most = fmax(fmax(share[0], share[1]), share[2]) * 0.7;
    int64_t tamed = vdi_sacd_tame(agent, &rng, 200, most, 100, &err);
    CHECK(tamed >= 1 && tamed <= 3, "%d tamed", (int)tamed);
    vdi_sacd_weights(agent, weights);
    double smallest = fmin(fmin(weights[0], weights[1]), weights[2]);
    CHECK(smallest < 0.85 && smallest > 0.5 && weights[HEADS - 1] == 1, "weight %g", smallest);
    for (int k = 0; k < 4; k++)
        remember(agent, 25);
    vdi_sacd_weights(agent, weights);
    for (int i = 0; i < HEADS; i++)
        CHECK(weights[i] == 1);
    CHECK(vdi_sacd_tame(agent, &rng, 10, 0, 100, &err) == VDI_ERR_ARGUMENT);
    vdi_sacd_destroy(agent);
}
