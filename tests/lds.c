/* tests/lds.c - the linear dynamical system against references, dense algebra and its own second
 * route */
#include "check.h"
#include "lds_array.h"

/* ---- helpers --------------------------------------------------------------------------------- */

static void identity(double *a, int64_t n, double value) {
    for (int64_t i = 0; i < n * n; i++)
        a[i] = i / n == i % n ? value : 0;
}

static vdi_lds *make(int64_t d, int64_t n, int64_t inputs, bool diagonal, unsigned long long seed) {
    vdi_lds_desc desc = {0};
    vdi_lds *p = NULL;
    vdi_error err = {0};
    desc.d = d;
    desc.n = n;
    desc.inputs = inputs;
    desc.diagonal_r = diagonal;
    CHECK_OK(vdi_lds_create(&desc, &p, &err), err);
    for (int64_t i = 0; i < d * d; i++)
        p->A[i] = (i / d == i % d ? 0.8 : 0) + 0.1 * test_normal(&seed) / (double)d;
    for (int64_t i = 0; i < n * d; i++)
        p->C[i] = test_normal(&seed);
    for (int64_t i = 0; i < n; i++)
        p->b[i] = test_normal(&seed);
    for (int64_t i = 0; i < d * inputs; i++)
        p->B[i] = 0.5 * test_normal(&seed);
    for (int64_t i = 0; i < n * inputs; i++)
        p->D[i] = 0.5 * test_normal(&seed);
    for (int64_t i = 0; i < d; i++)
        p->x0[i] = test_normal(&seed);
    /* covariances: identity plus a low-rank part */
    double *cov[3] = {p->Q, p->Q0, p->R};
    int64_t side[3] = {d, d, n};
    for (int k = 0; k < 3; k++) {
        int64_t m = side[k];
        double v[64];
        identity(cov[k], m, k == 0 ? 0.3 : 0.7);
        for (int64_t i = 0; i < m; i++)
            v[i] = 0.5 * test_normal(&seed);
        for (int64_t i = 0; i < m * m; i++)
            if (!(k == 2 && diagonal) || i / m == i % m) cov[k][i] += v[i / m] * v[i % m];
    }
    return p;
}

static double *numbers(int64_t n) {
    return (double *)calloc((size_t)(n > 0 ? n : 1), sizeof(double));
}

static vdi_lds_data *data_of(const vdi_lds *p, double *y, double *u, int64_t trials, int64_t T,
                             const int64_t *lengths) {
    vdi_lds_data_desc desc = {0};
    vdi_lds_data *data = NULL;
    vdi_error err = {0};
    desc.y = vdi_tensor_3d(y, VDI_F64, trials, T, p->desc.n);
    if (u) desc.u = vdi_tensor_3d(u, VDI_F64, trials, T, p->desc.inputs);
    desc.lengths = lengths;
    CHECK_OK(vdi_lds_data_create(p, &desc, &data, &err), err);
    return data;
}

static double *simulate(const vdi_lds *p, unsigned seed, int64_t trials, int64_t T,
                        const double *u) {
    double *y = numbers(trials * T * p->desc.n), *work = numbers((int64_t)vdi_lds_simulate_work(p));
    vdi_error err = {0};
    CHECK_OK(vdi_lds_simulate(p, seed, trials, T, u, work, NULL, y, &err), err);
    free(work);
    return y;
}

/* E z into m (T d). */
static void dense_mean(const vdi_lds *p, const double *u, int64_t T, double *m) {
    const int64_t d = p->desc.d;
    const int64_t U = p->desc.inputs;
    for (int64_t t = 0; t < T; t++) {
        for (int64_t i = 0; i < d; i++) {
            double s = t == 0 ? p->x0[i] : 0;
            for (int64_t k = 0; t > 0 && k < d; k++)
                s += p->A[i * d + k] * m[(t - 1) * d + k];
            for (int64_t k = 0; t > 0 && k < U; k++)
                s += p->B[i * U + k] * u[t * U + k];
            m[t * d + i] = s;
        }
    }
}

/* Element (i,j) of Cov(z_t, z_s), s <= t, from what P (Td,Td) holds of the bins before t. */
static double dense_covariance_at(const vdi_lds *p, const double *P, int64_t Z, int64_t t,
                                  int64_t s, int64_t i, int64_t j) {
    const int64_t d = p->desc.d;
    double x = s == t ? (t == 0 ? p->Q0[i * d + j] : p->Q[i * d + j]) : 0;
    if (t > 0 && s < t) {
        for (int64_t k = 0; k < d; k++)
            x += p->A[i * d + k] * P[((t - 1) * d + k) * Z + s * d + j];
    }
    if (t > 0 && s == t) {
        for (int64_t k = 0; k < d; k++) {
            for (int64_t l = 0; l < d; l++) {
                x += p->A[i * d + k] * P[((t - 1) * d + k) * Z + (t - 1) * d + l] * p->A[j * d + l];
            }
        }
    }
    return x;
}

/* Cov z into P (Td,Td), by the recursion. */
static void dense_covariance(const vdi_lds *p, int64_t T, double *P) {
    const int64_t d = p->desc.d;
    const int64_t Z = T * d;
    for (int64_t t = 0; t < T; t++) {
        for (int64_t s = 0; s <= t; s++) {
            for (int64_t i = 0; i < d; i++) {
                for (int64_t j = 0; j < d; j++) {
                    P[(t * d + i) * Z + s * d + j] = P[(s * d + j) * Z + t * d + i] =
                        dense_covariance_at(p, P, Z, t, s, i, j);
                }
            }
        }
    }
}

/* Of the `count` values y[at[..]]: y - E y into e, Cov(y, z) into CP (count,Td), Cov y into S
 * (count,count). */
static void dense_read_out(const vdi_lds *p, const double *y, const double *u, int64_t T,
                           const int64_t *at, int64_t count, const double *m, const double *P,
                           double *e, double *CP, double *S) {
    const int64_t d = p->desc.d;
    const int64_t n = p->desc.n;
    const int64_t U = p->desc.inputs;
    const int64_t Z = T * d;
    for (int64_t r = 0; r < count; r++) {
        int64_t t = at[r] / n, j = at[r] % n;
        double s = p->b[j];
        for (int64_t k = 0; k < d; k++)
            s += p->C[j * d + k] * m[t * d + k];
        for (int64_t k = 0; k < U; k++)
            s += p->D[j * U + k] * u[t * U + k];
        e[r] = y[at[r]] - s;
        for (int64_t c = 0; c < Z; c++) {
            for (int64_t k = 0; k < d; k++)
                CP[r * Z + c] += p->C[j * d + k] * P[(t * d + k) * Z + c];
        }
    }
    for (int64_t r = 0; r < count; r++) {
        for (int64_t q = 0; q < count; q++) {
            int64_t t = at[q] / n, j = at[q] % n;
            double s =
                t == at[r] / n && (!p->desc.diagonal_r || r == q) ? p->R[(at[r] % n) * n + j] : 0;
            for (int64_t k = 0; k < d; k++)
                s += CP[r * Z + t * d + k] * p->C[j * d + k];
            S[r * count + q] = s;
        }
    }
}

/* Cholesky factor of S in place, whitens e and CP (count,Z) by it; returns log N(e; 0, S). */
static double dense_whiten(int64_t count, int64_t Z, double *S, double *e, double *CP) {
    double logdet = 0, quad = 0;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double s = S[i * count + j];
            for (int64_t k = 0; k < j; k++)
                s -= S[i * count + k] * S[j * count + k];
            S[i * count + j] = i == j ? sqrt(s) : s / S[j * count + j];
        }
    }
    for (int64_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < i; k++) {
            e[i] -= S[i * count + k] * e[k];
            for (int64_t c = 0; c < Z; c++)
                CP[i * Z + c] -= S[i * count + k] * CP[k * Z + c];
        }
        e[i] /= S[i * count + i];
        for (int64_t c = 0; c < Z; c++)
            CP[i * Z + c] /= S[i * count + i];
        logdet += 2 * log(S[i * count + i]);
        quad += e[i] * e[i];
    }
    return -0.5 * ((double)count * VDI_LOG_2PI + logdet + quad);
}

/* log p(y) of one trial by a dense Gaussian over its observed values, the posterior mean of z (Td)
 * and its covariance (Td,Td), each unless NULL: no structure used at all */
static double dense_posterior(const vdi_lds *p, const double *y, const double *u, int64_t T,
                              double *z_mean, double *z_cov) {
    const int64_t Z = T * p->desc.d;
    const int64_t Y = T * p->desc.n;
    double *m = numbers(Z);
    double *P = numbers(Z * Z);
    double *CP = numbers(Y * Z);
    double *S = numbers(Y * Y);
    double *e = numbers(Y);
    int64_t *at = (int64_t *)calloc((size_t)Y, sizeof *at), count = 0;
    for (int64_t i = 0; i < Y; i++)
        if (y[i] == y[i]) at[count++] = i;
    dense_mean(p, u, T, m);
    dense_covariance(p, T, P);
    dense_read_out(p, y, u, T, at, count, m, P, e, CP, S);
    const double log_likelihood = dense_whiten(count, Z, S, e, CP);
    for (int64_t c = 0; z_mean && c < Z; c++) {
        z_mean[c] = m[c];
        for (int64_t i = 0; i < count; i++)
            z_mean[c] += CP[i * Z + c] * e[i];
    }
    for (int64_t k = 0; z_cov && k < Z * Z; k++) {
        z_cov[k] = P[k];
        for (int64_t i = 0; i < count; i++)
            z_cov[k] -= CP[i * Z + k / Z] * CP[i * Z + k % Z];
    }
    free(m);
    free(P);
    free(CP);
    free(S);
    free(e);
    free(at);
    return log_likelihood;
}

static double dense_log_likelihood(const vdi_lds *p, const double *y, const double *u, int64_t T,
                                   double *z_mean) {
    return dense_posterior(p, y, u, T, z_mean, NULL);
}

/* ---- exactness ------------------------------------------------------------------------------- */

/* Ragged, masked trials, with inputs: both routes against dense algebra, full and diagonal R, every
 * path. */
TEST(lds, dense_reference) {
    unsigned long long seed = 11;
    vdi_error err = {0};
    for (int variant = 0; variant < 12; variant++) {
        int64_t d = 1 + variant % 4;
        int64_t n = 1 + variant % 5;
        int64_t U = variant % 3;
        int64_t B = 7;
        int64_t T = 6;
        bool missing = variant % 2, diagonal = variant >= 6;
        vdi_lds *p = make(d, n, U, diagonal, (unsigned long long)variant + 5);
        double *u = numbers(B * T * U);
        for (int64_t i = 0; i < B * T * U; i++)
            u[i] = test_normal(&seed);
        double *y = simulate(p, 3, B, T, u);
        int64_t lengths[7] = {6, 1, 4, 6, 0, 4, 6};
        for (int64_t i = 0; missing && i < B * T * n; i++)
            if (i / (T * n) != 3 && test_uniform(&seed) < 0.3) y[i] = NAN;
        for (int64_t i = 0; i < T * n; i++) {
            y[6 * T * n + i] = missing && y[i] != y[i]
                                   ? NAN
                                   : y[6 * T * n + i]; /* trial 6 shares trial 0's mask ... */
        }
        /* ... and trial 0 trial 6's */
        for (int64_t i = 0; i < T * n; i++)
            if (missing && y[6 * T * n + i] != y[6 * T * n + i]) y[i] = NAN;
        vdi_lds_data *data = data_of(p, y, U ? u : NULL, B, T, lengths);
        int64_t lanes = vdi_lds_data_lanes(data);
        double *z = numbers(T * d), ll[2][7], *ms[2], *Ps[2], *Pc[2];
        for (int simd = 0; simd < VDI_SIMD_COUNT; simd++) {
            if (vdi_simd_set((vdi_simd)simd) < 0) continue;
            for (int route = 0; route < 2; route++) {
                ms[route] = numbers(B * T * d);
                Ps[route] = numbers(lanes * T * d * d);
                Pc[route] = numbers(lanes * (T - 1) * d * d);
                vdi_lds_moments m = {0};
                m.ms = ms[route];
                m.Ps = Ps[route];
                m.Pc = Pc[route];
                m.ll = ll[route];
                m.kalman = route == 1;
                CHECK_OK(vdi_lds_smooth(p, data, &m, &err), err);
            }
            CHECK_CLOSE(largest_difference(ms[0], ms[1], B * T * d), 0, 1e-11);
            CHECK_CLOSE(largest_difference(Ps[0], Ps[1], lanes * T * d * d), 0, 1e-12);
            CHECK_CLOSE(largest_difference(Pc[0], Pc[1], lanes * (T - 1) * d * d), 0, 1e-12);
            for (int64_t i = 0; i < B; i++) {
                double want = dense_log_likelihood(p, y + i * T * n, u + i * T * U, lengths[i], z);
                CHECK_CLOSE(ll[0][i], want, 1e-11 * (1 + fabs(want)));
                CHECK_CLOSE(ll[1][i], want, 1e-11 * (1 + fabs(want)));
                CHECK_CLOSE(largest_difference(ms[0] + i * T * d, z, lengths[i] * d), 0, 1e-11);
                for (int64_t k = lengths[i] * d; k < T * d; k++)
                    CHECK(ms[0][i * T * d + k] == 0, "behind the end of trial %d", (int)i);
            }
            for (int route = 0; route < 2; route++) {
                free(ms[route]);
                free(Ps[route]);
                free(Pc[route]);
            }
        }
        (void)vdi_simd_set(VDI_SIMD_AUTO);
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        free(y);
        free(u);
        free(z);
    }
}

/* A random walk in two latents, far from 0 by as much as x0 is: the level is the latents' own. */
static vdi_lds *walk(bool diagonal, double level) {
    vdi_lds *p = make(2, 3, 0, diagonal, 6);
    identity(p->A, 2, 1);
    identity(p->Q, 2, 0.09);
    identity(p->Q0, 2, 10);
    p->x0[0] = level;
    p->x0[1] = -level;
    return p;
}

/* y moved by C x0 */
static double *moved(const vdi_lds *p, const double *y, int64_t bins) {
    double *to = numbers(bins * 3);
    for (int64_t i = 0; i < bins * 3; i++)
        to[i] = y[i] + p->C[i % 3 * 2] * p->x0[0] + p->C[i % 3 * 2 + 1] * p->x0[1];
    return to;
}

/* Data and latents at another level have the same log likelihood, by both routes. */
TEST(lds, log_likelihood_knows_no_level) {
    unsigned long long seed = 3;
    vdi_error err = {0};
    for (int variant = 0; variant < 4; variant++) {
        const bool diagonal = variant % 2, missing = variant >= 2;
        const int64_t B = 2, T = 250;
        vdi_lds *zero = walk(diagonal, 0);
        double *y = simulate(zero, 4, B, T, NULL), at_zero = 0;
        for (int64_t i = 0; missing && i < B * T * 3; i++)
            if (test_uniform(&seed) < 0.2) y[i] = NAN;
        vdi_lds_data *data = data_of(zero, y, NULL, B, T, NULL);
        CHECK_OK(vdi_lds_log_likelihood(zero, data, NULL, &at_zero, &err), err);
        for (double level = 1e2; level <= 1e8; level *= 1e3) {
            vdi_lds *p = walk(diagonal, level);
            double *far = moved(p, y, B * T), ll[2] = {0}, sum = 0;
            vdi_lds_data *there = data_of(p, far, NULL, B, T, NULL);
            vdi_lds_moments m = {0};
            m.ll = ll;
            m.kalman = true;
            CHECK_OK(vdi_lds_log_likelihood(p, there, NULL, &sum, &err), err);
            CHECK_CLOSE(sum, at_zero, 1e-8 * fabs(at_zero));
            CHECK_OK(vdi_lds_smooth(p, there, &m, &err), err);
            CHECK_CLOSE(ll[0] + ll[1], at_zero, 1e-8 * fabs(at_zero));
            vdi_lds_data_destroy(there);
            vdi_lds_destroy(p);
            free(far);
        }
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(zero);
        free(y);
    }
}

static void climbs(vdi_lds *p, vdi_lds_data *data, int steps, const char *what) {
    double before = -HUGE_VAL, ll = 0;
    vdi_error err = {0};
    for (int i = 0; i < steps; i++) {
        CHECK_OK(vdi_lds_em_step(p, data, &ll, &err), err);
        CHECK(ll >= before - 1e-9 * fabs(ll), "%s: step %d fell from %.12g to %.12g", what, i,
              before, ll);
        before = ll;
    }
    CHECK_OK(vdi_lds_check(p, &err), err);
}

/* ---- semidefinite covariances ---------------------------------------------------------------- */

/* V (n,n) of rank n - 1. */
static void deficient(double *V, int64_t n, unsigned long long *seed) {
    memset(V, 0, (size_t)(n * n) * sizeof(double));
    for (int64_t rank = 1; rank < n; rank++) {
        double v[8];
        for (int64_t i = 0; i < n; i++)
            v[i] = test_normal(seed);
        for (int64_t i = 0; i < n * n; i++)
            V[i] += v[i / n] * v[i % n];
    }
}

/* One of them, two or all three singular; those of variant 0 only the start. */
static vdi_lds *singular(int variant, bool diagonal, unsigned long long *seed) {
    const int64_t d = 1 + variant % 3, n = 2 + variant % 2, U = variant % 2;
    vdi_lds *p = make(d, n, U, diagonal, 40 + (unsigned long long)variant);
    if (variant % 4 != 3) memset(p->Q0, 0, (size_t)(d * d) * sizeof(double));
    if (variant % 4 == 1) deficient(p->Q, d, seed);
    if (variant % 4 >= 2 && !diagonal) deficient(p->R, n, seed);
    if (variant % 4 >= 2 && diagonal) p->R[0] = 0;
    if (variant % 4 >= 2) identity(p->Q0, d, 0.5);
    return p;
}

/* Where a covariance has no inverse: a known start, noise along one direction, channels without
 * any, with inputs, missing values and ragged trials, against dense algebra. */
TEST(lds, semidefinite_against_dense_algebra) {
    unsigned long long seed = 5;
    vdi_error err = {0};
    for (int variant = 0; variant < 16; variant++) {
        const bool diagonal = variant % 2, missing = variant % 4 != 1;
        const int64_t B = 4, T = 6;
        vdi_lds *p = singular(variant / 2, diagonal, &seed);
        const int64_t d = p->desc.d, n = p->desc.n, U = p->desc.inputs, Z = T * d;
        const int64_t lengths[4] = {6, 4, 6, 1};
        double *u = numbers(B * T * U), ll[4];
        for (int64_t i = 0; i < B * T * U; i++)
            u[i] = test_normal(&seed);
        double *y = simulate(p, 3, B, T, u);
        for (int64_t i = 0; missing && i < 2 * T * n; i++)
            if (test_uniform(&seed) < 0.3) y[i] = NAN;
        CHECK_OK(vdi_lds_check(p, &err), err);
        vdi_lds_data *data = data_of(p, y, U ? u : NULL, B, T, lengths);
        const int64_t lanes = vdi_lds_data_lanes(data);
        double *ms = numbers(B * Z), *Ps = numbers(lanes * Z * d), *z = numbers(Z);
        double *Pc = numbers(lanes * (T - 1) * d * d), *V = numbers(Z * Z);
        vdi_lds_moments m = {0};
        m.ms = ms;
        m.Ps = Ps;
        m.Pc = Pc;
        m.ll = ll;
        CHECK_OK(vdi_lds_smooth(p, data, &m, &err), err);
        for (int64_t i = 0; i < B; i++) {
            const int64_t lane = vdi_lds_data_lane(data, i), L = lengths[i] * d;
            const double want = dense_posterior(p, y + i * T * n, u + i * T * U, lengths[i], z, V);
            CHECK_CLOSE(ll[i], want, 1e-9 * (1 + fabs(want)));
            CHECK_CLOSE(largest_difference(ms + i * Z, z, L), 0, 1e-9);
            for (int64_t k = 0; k < lengths[i] * d * d; k++) {
                const int64_t t = k / (d * d), a = t * d + k / d % d, b = t * d + k % d;
                CHECK_CLOSE(Ps[lane * Z * d + k], V[a * L + b], 1e-9);
                if (t + 1 == lengths[i]) continue;
                CHECK_CLOSE(Pc[lane * (T - 1) * d * d + k], V[(a + d) * L + b], 1e-9);
            }
        }
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        free(u);
        free(y);
        free(ms);
        free(Ps);
        free(Pc);
        free(z);
        free(V);
    }
}

/* y_t = a y_{t-1} + b y_{t-2} + N(0,q) in companion form, from its stationary start. */
static vdi_lds *autoregression(double a, double b, double q, double jitter) {
    const double rho = a / (1 - b), g0 = q / (1 - a * rho - b * (b + a * rho));
    vdi_lds *p = make(2, 1, 0, false, 1);
    const double A[4] = {a, b, 1, 0};
    const double Q[4] = {q, 0, 0, jitter};
    const double Q0[4] = {g0, g0 * rho, g0 * rho, g0};
    memcpy(p->A, A, sizeof A);
    memcpy(p->Q, Q, sizeof Q);
    memcpy(p->Q0, Q0, sizeof Q0);
    p->C[0] = 1;
    p->C[1] = p->x0[0] = p->x0[1] = p->b[0] = 0;
    p->R[0] = jitter;
    return p;
}

static double normal_log(double e, double variance) {
    return -0.5 * (VDI_LOG_2PI + log(variance) + e * e / variance);
}

/* AR(2) by its own formula, and with jitter in place of zeros: to 1e-9 of it. */
TEST(lds, autoregression_is_exact) {
    const double a = 1.2, b = -0.5, q = 0.7, rho = a / (1 - b);
    const double g0 = q / (1 - a * rho - b * (b + a * rho));
    const int64_t T = 400;
    vdi_error err = {0};
    vdi_lds *p = autoregression(a, b, q, 0);
    double *y = simulate(p, 4, 1, T, NULL), ll = 0;
    double want = normal_log(y[0], g0) + normal_log(y[1] - rho * y[0], g0 * (1 - rho * rho));
    for (int64_t t = 2; t < T; t++)
        want += normal_log(y[t] - a * y[t - 1] - b * y[t - 2], q);
    for (double jitter = 0; jitter<2e-12; jitter = jitter> 0 ? 10 * jitter : 1e-15) {
        vdi_lds *thin = autoregression(a, b, q, jitter);
        vdi_lds_data *data = data_of(thin, y, NULL, 1, T, NULL);
        CHECK_OK(vdi_lds_log_likelihood(thin, data, NULL, &ll, &err), err);
        CHECK_CLOSE(ll, want, (1e-9 + 1e3 * jitter) * fabs(want));
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(thin);
    }
    vdi_lds_destroy(p);
    free(y);
}

/* EM on an AR(2) with gaps under ties: it rises, finds the coefficients, and what is not sought and
 * what has no noise is as it was, to the bit. */
TEST(lds, autoregression_by_em) {
    static const int32_t first_row[4] = {1, 2, 0, 0};
    unsigned long long seed = 9;
    const int64_t T = 1000;
    vdi_error err = {0};
    vdi_lds *truth = autoregression(1.2, -0.5, 0.7, 0), *p;
    double *y = simulate(truth, 4, 1, T, NULL);
    for (int64_t t = 0; t < T; t++)
        if (test_uniform(&seed) < 0.1) y[t] = NAN;
    vdi_lds_ties ties = {0};
    vdi_lds_desc desc = {0};
    ties.A.group = first_row;
    desc.d = 2;
    desc.n = 1;
    desc.diagonal_r = true;
    desc.ties = &ties;
    desc.freeze = VDI_LDS_C | VDI_LDS_BIAS | VDI_LDS_X0 | VDI_LDS_Q0;
    CHECK_OK(vdi_lds_create(&desc, &p, &err), err);
    memcpy(p->A, truth->A, truth->param_count * sizeof(double));
    p->A[0] = 0.5;
    p->A[1] = 0;
    p->Q[0] = 3;
    vdi_lds_data *data = data_of(p, y, NULL, 1, T, NULL);
    climbs(p, data, 60, "an AR(2) with gaps");
    CHECK_CLOSE(p->A[0], 1.2, 0.08);
    CHECK_CLOSE(p->A[1], -0.5, 0.08);
    CHECK_CLOSE(p->Q[0], 0.7, 0.1);
    CHECK(p->A[2] == 1 && p->A[3] == 0 && p->Q[1] == 0 && p->Q[3] == 0 && p->R[0] == 0,
          "A %g %g, Q %g %g, R %g", p->A[2], p->A[3], p->Q[1], p->Q[3], p->R[0]);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(p);
    vdi_lds_destroy(truth);
    free(y);
}

/* A level that a slope moves, the level without noise of its own; also a long way from 0, and what
 * EM makes of it: Q keeps its zeros, and the likelihood rises. */
TEST(lds, local_linear_trend) {
    const double A[4] = {1, 1, 0, 1}, Q[4] = {0, 0, 0, 0.01}, Q0[4] = {4, 0, 0, 0.1};
    const int64_t T = 50;
    vdi_error err = {0};
    vdi_lds *p = make(2, 1, 0, true, 1);
    memcpy(p->A, A, sizeof A);
    memcpy(p->Q, Q, sizeof Q);
    memcpy(p->Q0, Q0, sizeof Q0);
    memset(p->x0, 0, 2 * sizeof(double));
    p->C[0] = p->R[0] = 1;
    p->C[1] = p->b[0] = 0;
    double *y = simulate(p, 4, 1, T, NULL), at_zero = 0;
    const double want = dense_log_likelihood(p, y, NULL, T, NULL);
    for (double level = 0; level <= 1e8; level = level > 0 ? 1e4 * level : 1) {
        double ll = 0, *far = numbers(T);
        for (int64_t t = 0; t < T; t++)
            far[t] = y[t] + level;
        p->x0[0] = level;
        vdi_lds_data *data = data_of(p, far, NULL, 1, T, NULL);
        CHECK_OK(vdi_lds_log_likelihood(p, data, NULL, &ll, &err), err);
        if (level == 0) at_zero = ll;
        CHECK_CLOSE(ll, want, 1e-9 * fabs(want));
        CHECK_CLOSE(ll, at_zero, 1e-8 * fabs(want));
        vdi_lds_data_destroy(data);
        free(far);
    }
    p->x0[0] = 0;
    p->desc.freeze = VDI_LDS_A | VDI_LDS_C | VDI_LDS_X0 | VDI_LDS_Q0;
    vdi_lds_data *data = data_of(p, y, NULL, 1, T, NULL);
    climbs(p, data, 50, "local linear trend");
    CHECK(p->Q[0] == 0 && p->Q[1] == 0 && p->Q[2] == 0 && p->Q[3] != 0.01, "Q %g %g %g", p->Q[0],
          p->Q[1], p->Q[3]);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(p);
    free(y);
}

/* What has no density, and what is no covariance, is told. */
TEST(lds, what_is_determined_is_told) {
    vdi_error err = {0};
    double y[4] = {1, 1, 2, 2}, ll;
    vdi_lds *p = make(1, 2, 0, true, 1);
    p->C[0] = p->C[1] = 1;
    p->R[0] = p->R[3] = 0;
    vdi_lds_data *data = data_of(p, y, NULL, 1, 2, NULL);
    CHECK_OK(vdi_lds_check(p, &err), err);
    CHECK_FAILS(vdi_lds_log_likelihood(p, data, NULL, &ll, &err), VDI_ERR_NUMERIC);
    CHECK(strstr(err.message, "trial 0, bin 0") != NULL, "%s", err.message);
    p->R[3] = -1;
    CHECK_FAILS(vdi_lds_check(p, &err), VDI_ERR_NOT_POSITIVE_DEFINITE);
    CHECK_FAILS(vdi_lds_log_likelihood(p, data, NULL, &ll, &err), VDI_ERR_NOT_POSITIVE_DEFINITE);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(p);
    p = make(2, 2, 0, false, 1);
    const double indefinite[4] = {1, 2, 2, 1}, hollow[4] = {0, 1, 1, 1};
    data = data_of(p, y, NULL, 1, 2, NULL);
    for (int k = 0; k < 2; k++) {
        memcpy(p->Q, k ? hollow : indefinite, sizeof hollow);
        CHECK_FAILS(vdi_lds_check(p, &err), VDI_ERR_NOT_POSITIVE_DEFINITE);
        CHECK_FAILS(vdi_lds_log_likelihood(p, data, NULL, &ll, &err),
                    VDI_ERR_NOT_POSITIVE_DEFINITE);
    }
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(p);
}

#ifndef VDI_NO_STDIO
static vdi_lds *shared_model(const char *set, const char *prefix, bool diagonal) {
    static const char *const name[VDI_LDS_PARAMS] = {"A", "B", "Q", "C", "D", "b", "R", "x0", "Q0"};
    char full[64];
    vdi_lds_desc desc = {0};
    vdi_lds *p = NULL;
    vdi_error err = {0};
    snprintf(full, sizeof full, "%sC", prefix);
    vdi_tensor c = lds_array(set, full);
    desc.n = c.shape[0];
    desc.d = c.shape[1];
    desc.diagonal_r = diagonal;
    vdi_tensor_free(NULL, &c);
    CHECK_OK(vdi_lds_create(&desc, &p, &err), err);
    vdi_state state = vdi_lds_state(p);
    for (int i = 0; i < VDI_LDS_PARAMS; i++) {
        if (i == 1 || i == 4) continue;
        snprintf(full, sizeof full, "%s%s", prefix, name[i]);
        vdi_tensor t = lds_array(set, full), to = state.tensors[i].tensor;
        if (i == 6 && t.ndim == 1) {
            to.ndim = 1;
            to.stride[0] = to.shape[0] + 1;
        }
        CHECK_OK(vdi_tensor_copy(to, t, &err), err);
        vdi_tensor_free(NULL, &t);
    }
    return p;
}

/* The exact references: moments to 1e-10, log likelihoods to 1e-10 relative, by both routes. */
TEST(lds, references) {
    NEED_SHARED("data/lds/k1_A.npy");
    static const char *const set[] = {"k1", "k2", "k4"};
    static const char *const name[] = {"out_mp", "out_Pp", "out_mf", "out_Pf",
                                       "out_ms", "out_Ps", "out_Pc", "out_ll"};
    vdi_error err = {0};
    for (int s = 0; s < 3; s++) {
        for (int route = 0; route < 2; route++) {
            vdi_lds *p = shared_model(set[s], "", false);
            vdi_tensor y = lds_array(set[s], "y");
            int64_t B = y.shape[0], T = y.shape[1], d = p->desc.d;
            vdi_lds_data *data = data_of(p, (double *)y.data, NULL, B, T, NULL);
            CHECK(vdi_lds_data_lanes(data) == 1, "%d lanes", (int)vdi_lds_data_lanes(data));
            vdi_lds_moments m = {0};
            double *out[8];
            int64_t count[8] = {B * T * d, T * d * d, B * T * d,       T * d * d,
                                B * T * d, T * d * d, (T - 1) * d * d, B};
            for (int i = 0; i < 8; i++)
                out[i] = numbers(count[i]);
            m.mp = out[0];
            m.Pp = out[1];
            m.mf = out[2];
            m.Pf = out[3];
            m.ms = out[4];
            m.Ps = out[5];
            m.Pc = out[6];
            m.ll = out[7];
            m.kalman = route == 1;
            CHECK_OK(vdi_lds_smooth(p, data, &m, &err), err);
            for (int i = 0; i < 8; i++) {
                vdi_tensor want = lds_array(set[s], name[i]);
                /* the reference repeats it for each trial; here all share one lane */
                bool covariance = name[i][4] == 'P';
                int64_t copies = covariance ? B : 1;
                CHECK(vdi_tensor_count(want) == copies * count[i], "%s %s has %d numbers, not %d",
                      set[s], name[i], (int)vdi_tensor_count(want), (int)(copies * count[i]));
                double scale = i == 7 ? fabs(((double *)want.data)[0]) : 1;
                for (int64_t j = 0; j < copies; j++) {
                    double e =
                        largest_difference(out[i], (double *)want.data + j * count[i], count[i]);
                    CHECK(e <= 1e-10 * scale, "%s %s, route %d: off by %g", set[s], name[i], route,
                          e);
                }
                vdi_tensor_free(NULL, &want);
                free(out[i]);
            }
            vdi_tensor_free(NULL, &y);
            vdi_lds_data_destroy(data);
            vdi_lds_destroy(p);
        }
    }
}

TEST(lds, em_reference) {
    NEED_SHARED("data/lds/em_y.npy");
    vdi_error err = {0};
    vdi_lds *p = shared_model("em", "init_", true);
    vdi_tensor y = lds_array("em", "y"), trace = lds_array("em", "trace");
    vdi_lds_data *data = data_of(p, (double *)y.data, NULL, y.shape[0], y.shape[1], NULL);
    const double *want = (const double *)trace.data;
    for (int i = 0; i <= 200; i++) {
        double ll = 0;
        if (i < 200)
            CHECK_OK(vdi_lds_em_step(p, data, &ll, &err), err);
        else
            CHECK_OK(vdi_lds_log_likelihood(p, data, NULL, &ll, &err), err);
        CHECK_CLOSE(ll, want[i], 1e-6 * fabs(want[i]));
    }
    vdi_tensor a = lds_array("em", "out_A");
    CHECK_CLOSE(largest_difference(p->A, (double *)a.data, p->desc.d * p->desc.d), 0, 1e-6);
    vdi_tensor_free(NULL, &a);
    vdi_tensor_free(NULL, &y);
    vdi_tensor_free(NULL, &trace);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(p);
}
#endif

/* ---- EM -------------------------------------------------------------------------------------- */

/* Data and latents at another level: with A held, every step finds the same C, Q and R; with A
 * free, or b held, so that C stands at the level too, the log likelihood rises there as it does
 * at 0. Full and diagonal R, with and without missing values. */
TEST(lds, em_knows_no_level) {
    unsigned long long seed = 3;
    vdi_error err = {0};
    for (int variant = 0; variant < 8; variant++) {
        const bool diagonal = variant % 2, missing = variant / 2 % 2, held = variant >= 4;
        const int64_t B = 3, T = 120;
        vdi_lds *zero = walk(diagonal, 0);
        double *y = simulate(zero, 4, B, T, NULL), ll = 0;
        for (int64_t i = 0; missing && i < B * T * 3; i++)
            if (test_uniform(&seed) < 0.2) y[i] = NAN;
        vdi_lds_data *data = data_of(zero, y, NULL, B, T, NULL);
        zero->desc.freeze = VDI_LDS_A | (held ? VDI_LDS_BIAS : 0u);
        for (int i = 0; i < 12; i++)
            CHECK_OK(vdi_lds_em_step(zero, data, &ll, &err), err);
        for (double level = 1e4; level <= 1e8; level *= 1e4) {
            vdi_lds *p = walk(diagonal, level), *loose = walk(diagonal, level);
            double *far = moved(p, y, B * T);
            vdi_lds_data *there = data_of(p, far, NULL, B, T, NULL);
            p->desc.freeze = zero->desc.freeze;
            loose->desc.freeze = zero->desc.freeze & ~(unsigned)VDI_LDS_A;
            climbs(p, there, 12, "A held");
            climbs(loose, there, 12, "A free");
            const double most = 1e-13 * level + 1e-9;
            CHECK(held || largest_difference(p->Q, zero->Q, 4) < most, "Q, level %g", level);
            CHECK(held || largest_difference(p->R, zero->R, 9) < most, "R, level %g", level);
            CHECK(held || largest_difference(p->C, zero->C, 6) < most, "C, level %g", level);
            vdi_lds_data_destroy(there);
            vdi_lds_destroy(loose);
            vdi_lds_destroy(p);
            free(far);
        }
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(zero);
        free(y);
    }
}

/* A model whose latents are `latents` times as large and whose channel j is `channel[j]` times. */
static void rescale(vdi_lds *p, double latents, const double *channel) {
    const int64_t d = p->desc.d, n = p->desc.n;
    for (int64_t i = 0; i < d * d; i++) {
        p->Q[i] *= latents * latents;
        p->Q0[i] *= latents * latents;
    }
    for (int64_t i = 0; i < d; i++)
        p->x0[i] *= latents;
    for (int64_t i = 0; i < n * d; i++)
        p->C[i] *= channel[i / d] / latents;
    for (int64_t i = 0; i < n * n; i++)
        p->R[i] *= channel[i / n] * channel[i % n];
    for (int64_t i = 0; i < n; i++)
        p->b[i] *= channel[i];
}

/* Data, channels and latents in other units, from 1e-12 to 1e12, all alike or each its own: every
 * step is the same one in those units, and none falls. */
TEST(lds, em_knows_no_scale) {
    for (int variant = 0; variant < 20; variant++) {
        const bool diagonal = variant % 2;
        const int64_t B = 2, T = 80, n = 3;
        const double unit = ldexp(1, 20 * (variant / 2 % 5 - 2)), latents = variant < 10 ? unit : 1;
        double channel[3] = {unit, unit, unit};
        if (variant >= 10) channel[1] = 1 / unit;
        vdi_lds *p = make(2, n, 0, diagonal, 12), *other = make(2, n, 0, diagonal, 12);
        double *y = simulate(p, 4, B, T, NULL), *scaled = numbers(B * T * n);
        for (int64_t i = 0; i < B * T * n; i++)
            scaled[i] = y[i] * channel[i % n];
        rescale(other, latents, channel);
        vdi_lds_data *data = data_of(p, y, NULL, B, T, NULL);
        vdi_lds_data *rescaled = data_of(other, scaled, NULL, B, T, NULL);
        climbs(p, data, 20, "the usual units");
        climbs(other, rescaled, 20, "other units");
        for (int i = 0; i < 3; i++)
            channel[i] = 1 / channel[i];
        rescale(other, 1 / latents, channel);
        CHECK_CLOSE(largest_difference(other->A, p->A, 4), 0, 1e-12);
        CHECK_CLOSE(largest_difference(other->C, p->C, 6), 0, 1e-12);
        CHECK_CLOSE(largest_difference(other->Q, p->Q, 4), 0, 1e-12);
        CHECK_CLOSE(largest_difference(other->Q0, p->Q0, 4), 0, 1e-12);
        for (int64_t i = 0; i < n * n; i++) { /* beside a diagonal R nothing counts */
            CHECK(!(fabs(other->R[i] - p->R[i]) > 1e-12) || (diagonal && i % (n + 1)));
        }
        vdi_lds_data_destroy(data);
        vdi_lds_data_destroy(rescaled);
        vdi_lds_destroy(p);
        vdi_lds_destroy(other);
        free(y);
        free(scaled);
    }
}

/* A floor of the caller's is kept as it stands. */
TEST(lds, floors_are_kept) {
    for (int diagonal = 0; diagonal < 2; diagonal++) {
        vdi_lds *p = make(1, 2, 0, diagonal, 12);
        double *y = simulate(p, 4, 2, 40, NULL), ll = 0;
        vdi_error err = {0};
        vdi_lds_data *data = data_of(p, y, NULL, 2, 40, NULL);
        p->desc.q_floor = 3;
        p->desc.r_floor = 5;
        for (int i = 0; i < 5; i++)
            CHECK_OK(vdi_lds_em_step(p, data, &ll, &err), err);
        CHECK_CLOSE(p->Q[0], 3, 1e-12);
        CHECK_CLOSE(fmin(p->R[0], p->R[3]), 5, 1e-12);
        CHECK(p->Q0[0] >= 3 - 1e-12, "Q0 is %g", p->Q0[0]);
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        free(y);
    }
}

/* The log likelihood after so many steps. */
static double learned(vdi_lds *p, vdi_lds_data *data, int steps) {
    vdi_error err = {0};
    double ll = 0;
    for (int i = 0; i < steps; i++)
        CHECK_OK(vdi_lds_em_step(p, data, &ll, &err), err);
    return ll;
}

/* A model of its own scales, with inputs that act on latents and channels. */
static vdi_lds *driven(int set, bool diagonal, unsigned long long *seed) {
    const int64_t d = 1 + set % 3, n = 3 + set % 4, U = set % 4;
    vdi_lds *p = make(d, n, U, diagonal, 31);
    for (int i = 0; i < 50; i++)
        (void)test_normal(seed);
    for (int64_t i = 0; i < d * d; i++)
        p->A[i] = (i / d == i % d ? 0.8 : 0) + 0.05 * test_normal(seed) / (double)d;
    for (int64_t i = 0; i < n * d; i++)
        p->C[i] = test_normal(seed);
    for (int64_t i = 0; i < d * U; i++)
        p->B[i] = test_normal(seed);
    for (int64_t i = 0; i < n * U; i++)
        p->D[i] = 2 * test_normal(seed);
    memset(p->x0, 0, (size_t)d * sizeof(double));
    identity(p->Q, d, 0.3);
    identity(p->Q0, d, 1);
    identity(p->R, n, 1);
    return p;
}

/* From the data alone EM gets where it gets from the truth, with inputs and without, and a full R
 * ends no lower than a diagonal one. */
TEST(lds, start_leads_to_the_top) {
    NEED_NATIVE();
    vdi_error err = {0};
    for (int set = 0; set < 12; set++) {
        unsigned long long seed = 5000 + (unsigned long long)set * 7919;
        const int64_t T = 150 + 50 * (set % 4), B = 1 + set % 2;
        double full = -HUGE_VAL;
        for (int diagonal = 0; diagonal < 2; diagonal++) {
            unsigned long long own = seed;
            vdi_lds *truth = driven(set, diagonal, &own), *p;
            const int64_t U = truth->desc.inputs, n = truth->desc.n;
            double *u = numbers(B * T * U);
            for (int64_t i = 0; i < B * T * U; i++)
                u[i] = set % 2 ? test_normal(&own) : sin(0.05 * (double)(i / U * (i % U + 1)));
            double *y = simulate(truth, (unsigned)set, B, T, u);
            CHECK_OK(vdi_lds_create(&truth->desc, &p, &err), err);
            vdi_lds_data *data = data_of(p, y, u, B, T, NULL);
            CHECK_OK(vdi_lds_init(p, data, 1, &err), err);
            const double ll = learned(p, data, 300), top = learned(truth, data, 300);
            CHECK(ll > top - 1, "set %d, n %d, diagonal %d: %.8g, from the truth %.8g", set, (int)n,
                  diagonal, ll, top);
            CHECK(!diagonal || full > ll - 1e-3, "set %d: full %.8g, diagonal %.8g", set, full, ll);
            full = ll;
            vdi_lds_data_destroy(data);
            vdi_lds_destroy(p);
            vdi_lds_destroy(truth);
            free(y);
            free(u);
        }
    }
}

/* Ragged, masked, with inputs, full and diagonal R, each subset of frozen parameters: the log
 * likelihood never falls. */
TEST(lds, em_never_falls) {
    unsigned long long seed = 4;
    for (int variant = 0; variant < 24; variant++) {
        int64_t d = 1 + variant % 3;
        int64_t n = 2 + variant % 4;
        int64_t U = variant % 3 == 2 ? 2 : 0;
        int64_t B = 9;
        int64_t T = 25;
        int64_t lengths[9];
        bool diagonal = variant % 2, missing = variant % 4 >= 2, ragged = variant % 6 >= 3;
        vdi_lds *truth = make(d, n, U, diagonal, 77), *p = make(d, n, U, diagonal, 78);
        double *u = numbers(B * T * U);
        for (int64_t i = 0; i < B * T * U; i++)
            u[i] = test_normal(&seed);
        double *y = simulate(truth, 9, B, T, u);
        for (int64_t i = 0; missing && i < B * T * n; i++)
            if (test_uniform(&seed) < 0.3) y[i] = NAN;
        for (int64_t i = 0; i < B; i++)
            lengths[i] = ragged ? 1 + i * 3 : T;
        p->desc.freeze = variant >= 12 ? 1u << variant % 9 | 1u << (variant * 5 + 1) % 9 : 0;
        double *frozen = numbers((int64_t)p->param_count);
        memcpy(frozen, p->A, p->param_count * sizeof *frozen);
        vdi_lds_data *data = data_of(p, y, U ? u : NULL, B, T, lengths);
        char what[96];
        snprintf(what, sizeof what,
                 "variant %d (d %d n %d U %d diagonal %d missing %d ragged %d freeze %u)", variant,
                 (int)d, (int)n, (int)U, diagonal, missing, ragged, p->desc.freeze);
        climbs(p, data, 30, what);
        for (int i = 0; i < VDI_LDS_PARAMS; i++) {
            const double *now = (const double *)p->tensors[i].tensor.data;
            if (p->desc.freeze >> i & 1) {
                CHECK(memcmp(now, frozen + (now - p->A), vdi_tensor_bytes(p->tensors[i].tensor)) ==
                          0,
                      "%s: %s was frozen and moved", what, p->tensors[i].name);
            }
        }
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        vdi_lds_destroy(truth);
        free(y);
        free(u);
        free(frozen);
    }
}

/* Elements that stay, that are equal, and bounds: EM keeps to them, and still rises; each sought
 * number is at a maximum of its own, or at its bound. Full and diagonal R, inputs, missing
 * values. */
TEST(lds, ties) {
    static const int32_t A[4] = {1, 0, 0, 2}, C[6] = {0, 1, 1, 2, 2, 3}, D[3] = {1, 1, 1};
    unsigned long long seed = 21;
    vdi_error err = {0};
    for (int variant = 0; variant < 8; variant++) {
        const bool diagonal = variant % 2, missing = variant / 2 % 2, bounded = variant >= 4;
        const int64_t d = 2, n = 3, U = 1, B = 4, T = 60;
        vdi_lds *truth = make(d, n, U, diagonal, 5), *p;
        vdi_lds_ties ties = {0};
        ties.A.group = A;
        ties.C.group = C;
        ties.D.group = D;
        if (bounded) ties.A.high = 0.5; /* the truth is near 0.8 */
        vdi_lds_desc desc = truth->desc;
        desc.ties = &ties;
        CHECK_OK(vdi_lds_create(&desc, &p, &err), err);
        double *u = numbers(B * T * U);
        for (int64_t i = 0; i < B * T * U; i++)
            u[i] = test_normal(&seed);
        double *y = simulate(truth, 2, B, T, u);
        for (int64_t i = 0; missing && i < B * T * n; i++)
            if (test_uniform(&seed) < 0.25) y[i] = NAN;
        memcpy(p->A, truth->A, truth->param_count * sizeof(double));
        p->A[0] = 0.3; /* inside the bounds */
        p->A[3] = 0.2;
        p->C[2] = p->C[1];
        p->C[4] = p->C[3];
        p->D[1] = p->D[2] = p->D[0];
        const double fixed[3] = {p->A[1], p->A[2], p->C[0]};
        vdi_lds_data *data = data_of(p, y, u, B, T, NULL);
        char what[64];
        snprintf(what, sizeof what, "ties, variant %d", variant);
        climbs(p, data, 1500, what);
        CHECK(p->A[1] == fixed[0] && p->A[2] == fixed[1] && p->C[0] == fixed[2], "%s: moved", what);
        CHECK(p->C[1] == p->C[2] && p->C[3] == p->C[4] && p->D[0] == p->D[1] && p->D[1] == p->D[2],
              "%s: no longer equal", what);
        CHECK(!bounded || (fmax(p->A[0], p->A[3]) == 0.5 && fmin(p->A[0], p->A[3]) >= 0),
              "%s: A %g %g", what, p->A[0], p->A[3]);
        double *group[4][3] = {{p->A, p->A, p->A},
                               {p->C + 1, p->C + 2, p->C + 2},
                               {p->C + 5, p->C + 5, p->C + 5},
                               {p->D, p->D + 1, p->D + 2}};
        for (int k = bounded; k < 4; k++) {
            double side[3], h = 1e-4, at = *group[k][0];
            for (int s = -1; s <= 1; s++) {
                for (int i = 0; i < 3; i++)
                    *group[k][i] = at + s * h;
                CHECK_OK(vdi_lds_log_likelihood(p, data, NULL, &side[s + 1], &err), err);
            }
            for (int i = 0; i < 3; i++)
                *group[k][i] = at;
            const double slope = (side[2] - side[0]) / (2 * h);
            const double curvature = fabs(side[0] + side[2] - 2 * side[1]) / (h * h);
            CHECK(fabs(slope) <= 1e-2 * (1 + curvature), "%s, group %d: slope %g, curvature %g",
                  what, k, slope, curvature);
        }
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        vdi_lds_destroy(truth);
        free(u);
        free(y);
    }
}

/* At a maximum the M-step's own fixed point is a stationary point of log p(y): the
 * finite-difference gradient vanishes. */
TEST(lds, em_finds_a_stationary_point) {
    NEED_NATIVE();
    vdi_error err = {0};
    for (int variant = 0; variant < 4; variant++) {
        bool diagonal = variant % 2, missing = variant >= 2;
        int64_t d = 1;
        int64_t n = 3;
        int64_t B = 6;
        int64_t T = 40;
        unsigned long long seed = 21;
        vdi_lds *truth = make(d, n, 0, diagonal, 5), *p = make(d, n, 0, diagonal, 6);
        double *y = simulate(truth, 2, B, T, NULL), ll;
        for (int64_t i = 0; missing && i < B * T * n; i++)
            if (test_uniform(&seed) < 0.25) y[i] = NAN;
        vdi_lds_data *data = data_of(p, y, NULL, B, T, NULL);
        for (int i = 0; i < 8000; i++)
            CHECK_OK(vdi_lds_em_step(p, data, &ll, &err), err);
        struct {
            const char *name;
            double *x, *twin;
        } entry[] = {{"A", p->A, NULL},   {"C", p->C + 1, NULL},       {"b", p->b, NULL},
                     {"R00", p->R, NULL}, {"R01", p->R + 1, p->R + n}, {"Q0", p->Q0, NULL},
                     {"x0", p->x0, NULL}};
        for (size_t i = 0; i < sizeof entry / sizeof *entry; i++) {
            double value = *entry[i].x, side[2], h = 1e-4;
            if (entry[i].twin && diagonal) continue;
            /* on its way to the floor, where EM crawls */
            if (entry[i].x == p->Q0 && value < 0.05) continue;
            for (int s = 0; s < 2; s++) {
                *entry[i].x = value + (s ? h : -h);
                if (entry[i].twin) *entry[i].twin = *entry[i].x;
                CHECK_OK(vdi_lds_log_likelihood(p, data, NULL, &side[s], &err), err);
            }
            *entry[i].x = value;
            if (entry[i].twin) *entry[i].twin = value;
            double curvature = fabs(side[0] + side[1] - 2 * ll) / (h * h);
            CHECK(fabs(side[1] - side[0]) / (2 * h) <= 1e-3 * (1 + curvature),
                  "variant %d: d log p / d %s = %g (curvature %g)", variant, entry[i].name,
                  (side[1] - side[0]) / (2 * h), curvature);
        }
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        vdi_lds_destroy(truth);
        free(y);
    }
}

/* What breaks a careless EM: one trial, a channel that never varies, one that is never seen, more
 * latents than channels, T = 1. */
TEST(lds, em_hard_cases) {
    for (int diagonal = 0; diagonal < 2; diagonal++) {
        int64_t n = 4, T = 60;
        vdi_lds *truth = make(2, n, 0, diagonal, 3), *p;
        double *y = simulate(truth, 8, 1, T, NULL);
        vdi_error err = {0};
        for (int64_t t = 0; t < T; t++) {
            y[t * n + 1] = 3.5;
            y[t * n + 2] = NAN;
        }
        vdi_lds_desc desc = {0};
        desc.d = 6;
        desc.n = n;
        desc.diagonal_r = diagonal;
        CHECK_OK(vdi_lds_create(&desc, &p, &err), err);
        vdi_lds_data *data = data_of(p, y, NULL, 1, T, NULL);
        CHECK_OK(vdi_lds_init(p, data, 1, &err), err);
        climbs(p, data, 200, "one trial, a constant channel, an unseen channel");
        CHECK_CLOSE(p->b[1], 3.5, 1e-3);
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        CHECK_OK(vdi_lds_create(&desc, &p, &err), err);
        for (int64_t t = 0; t < T; t++) {
            y[t * n + 1] = (double)t;
            y[t * n + 2] = 0.1 * (double)(t % 7);
        }
        data = data_of(p, y, NULL, T, 1, NULL); /* every bin a trial of its own */
        CHECK_OK(vdi_lds_init(p, data, 1, &err), err);
        climbs(p, data, 100, "T = 1");
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        vdi_lds_destroy(truth);
        free(y);
    }
}

/* ---- one bin at a time ----------------------------------------------------------------------- */

/* The filter's steps are the batch filter's numbers, for missing values, inputs, both kinds of R
 * and semidefinite Q0; what it predicts of y is the model's. No step allocates: there is no
 * allocator. */
TEST(lds, steps_equal_the_batch_filter) {
    unsigned long long seed = 3;
    vdi_error err = {0};
    for (int variant = 0; variant < 16; variant++) {
        const bool diagonal = variant % 2, missing = variant / 2 % 2;
        const int64_t d = 1 + variant % 3, n = 2 + variant % 4, U = variant / 4 % 2, T = 40;
        vdi_lds *p = make(d, n, U, diagonal, 8 + (unsigned long long)variant);
        if (variant >= 12) memset(p->Q0, 0, (size_t)(d * d) * sizeof(double));
        double *u = numbers(T * U), *mf = numbers(T * d), *Pf = numbers(T * d * d), ll = 0;
        for (int64_t i = 0; i < T * U; i++)
            u[i] = test_normal(&seed);
        double *y = simulate(p, 4, 1, T, u), y_mean[8], y_cov[64], distance;
        for (int64_t i = 0; missing && i < T * n; i++)
            if (test_uniform(&seed) < 0.3) y[i] = NAN;
        vdi_lds_data *data = data_of(p, y, U ? u : NULL, 1, T, NULL);
        vdi_lds_moments m = {0};
        m.mf = mf;
        m.Pf = Pf;
        m.ll = &ll;
        CHECK_OK(vdi_lds_smooth(p, data, &m, &err), err);
        vdi_lds_filter f;
        const size_t size = vdi_lds_filter_memsize(p);
        void *block = malloc(size);
        CHECK_OK(vdi_lds_filter_init(&f, p, block, size, &err), err);
        for (int64_t t = 0; t < T; t++) {
            const double *ut = U ? u + t * U : NULL;
            vdi_lds_predict(&f, ut);
            vdi_lds_measurement(&f, ut, y_mean, y_cov);
            for (int64_t i = 0; i < n * n; i++) {
                double want = diagonal && i / n != i % n ? 0 : p->R[i];
                for (int64_t k = 0; k < d * d; k++)
                    want += p->C[i / n * d + k / d] * f.cov[k] * p->C[i % n * d + k % d];
                CHECK_CLOSE(y_cov[i], want, 1e-12);
            }
            CHECK_OK(vdi_lds_distance(&f, y + t * n, ut, &distance, &err), err);
            if (n == 2 && !missing) { /* by the inverse of a 2 x 2 matrix */
                const double e0 = y[t * n] - y_mean[0], e1 = y[t * n + 1] - y_mean[1];
                const double det = y_cov[0] * y_cov[3] - y_cov[1] * y_cov[2];
                CHECK_CLOSE(distance,
                            (e0 * e0 * y_cov[3] - 2 * e0 * e1 * y_cov[1] + e1 * e1 * y_cov[0]) /
                                det,
                            1e-10);
            }
            CHECK_OK(vdi_lds_update(&f, y + t * n, ut, &err), err);
            for (int64_t k = 0; k < d; k++)
                CHECK_CLOSE(f.mean[k], mf[t * d + k], 1e-12 * (1 + fabs(mf[t * d + k])));
            CHECK_CLOSE(largest_difference(f.cov, Pf + t * d * d, d * d), 0, 1e-12);
        }
        CHECK_CLOSE(f.total, ll, 1e-12 * fabs(ll));
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        free(block);
        free(u);
        free(y);
        free(mf);
        free(Pf);
    }
}

/* A gate keeps an outlier out: the state is then as after a bin without a value. What cannot be
 * taken in is told, and leaves the state alone. */
TEST(lds, gate) {
    vdi_error err = {0};
    vdi_lds *p = make(2, 3, 0, false, 8);
    const size_t size = vdi_lds_filter_memsize(p);
    vdi_lds_filter f, g;
    void *block = malloc(size), *other = malloc(size);
    const double fine[3] = {p->b[0], p->b[1], p->b[2]}, far[3] = {1e3, -1e3, 1e3};
    const double wrong[3] = {HUGE_VAL, 0, 0};
    CHECK_FAILS(vdi_lds_filter_init(&f, p, block, size - 1, &err), VDI_ERR_ARGUMENT);
    CHECK_OK(vdi_lds_filter_init(&f, p, block, size, &err), err);
    CHECK_OK(vdi_lds_filter_init(&g, p, other, size, &err), err);
    f.gate = 50;
    CHECK_OK(vdi_lds_step(&f, fine, NULL, &err), err);
    CHECK(!f.rejected, "distance %g", f.distance);
    CHECK_OK(vdi_lds_step(&g, fine, NULL, &err), err);
    CHECK_OK(vdi_lds_step(&f, far, NULL, &err), err);
    CHECK(f.rejected && f.distance > 50 && f.log_likelihood == 0, "distance %g", f.distance);
    CHECK_OK(vdi_lds_step(&g, NULL, NULL, &err), err);
    CHECK(memcmp(f.mean, g.mean, sizeof(double[2])) == 0, "a rejected y moved the mean");
    CHECK(memcmp(f.cov, g.cov, sizeof(double[4])) == 0, "a rejected y moved the covariance");
    vdi_lds_predict(&g, NULL);
    f.gate = 0;
    vdi_lds_predict(&f, NULL);
    CHECK_FAILS(vdi_lds_update(&f, wrong, NULL, &err), VDI_ERR_DATA);
    CHECK(memcmp(f.mean, g.mean, sizeof(double[2])) == 0, "infinity moved the mean");
    vdi_lds_destroy(p);
    free(block);
    free(other);
}

/* Innovations are white and standard in sum: with log|F| they make up log p(y); y is fitted as the
 * smoothed latents say. */
TEST(lds, innovations_and_fitted_observations) {
    unsigned long long seed = 3;
    vdi_error err = {0};
    for (int variant = 0; variant < 8; variant++) {
        const bool diagonal = variant % 2, missing = variant / 2 % 2;
        const int64_t d = 2, n = 3, U = variant / 4, B = 3, T = 30, lengths[3] = {30, 12, 30};
        vdi_lds *p = make(d, n, U, diagonal, 50);
        double *u = numbers(B * T * U), ll[3], *ms = numbers(B * T * d), *e = numbers(B * T * n);
        for (int64_t i = 0; i < B * T * U; i++)
            u[i] = test_normal(&seed);
        double *y = simulate(p, 4, B, T, u), *ys = numbers(B * T * n), *yv = numbers(B * T * n);
        for (int64_t i = 0; missing && i < B * T * n; i++)
            if (test_uniform(&seed) < 0.3) y[i] = NAN;
        vdi_lds_data *data = data_of(p, y, U ? u : NULL, B, T, lengths);
        double *Ps = numbers(vdi_lds_data_lanes(data) * T * d * d);
        vdi_lds_moments m = {0};
        m.ms = ms;
        m.Ps = Ps;
        m.ll = ll;
        CHECK_OK(vdi_lds_smooth(p, data, &m, &err), err);
        CHECK_OK(vdi_lds_innovations(p, data, e, &err), err);
        CHECK_OK(vdi_lds_fitted(p, data, ys, yv, &err), err);
        for (int64_t i = 0; i < B; i++) {
            vdi_lds_filter f;
            const size_t size = vdi_lds_filter_memsize(p);
            void *block = malloc(size);
            double F[9], E[3];
            CHECK_OK(vdi_lds_filter_init(&f, p, block, size, &err), err);
            for (int64_t t = 0; t < T; t++) {
                const int64_t at = i * T + t;
                const double *ut = U ? u + at * U : NULL, *P;
                vdi_lds_predict(&f, ut);
                vdi_lds_measurement(&f, ut, E, F);
                if (t >= lengths[i]) {
                    CHECK(e[at * n] == 0 && ys[at * n] == 0 && yv[at * n] == 0);
                    continue;
                }
                CHECK_OK(vdi_lds_update(&f, y + at * n, ut, &err), err);
                if (y[at * n] == y[at * n]) { /* the first: by itself */
                    CHECK_CLOSE(e[at * n], (y[at * n] - E[0]) / sqrt(F[0]), 1e-10);
                }
                double sum = 0;
                for (int64_t j = 0; j < n; j++) {
                    CHECK((e[at * n + j] != e[at * n + j]) == (y[at * n + j] != y[at * n + j]));
                    if (y[at * n + j] == y[at * n + j]) sum += e[at * n + j] * e[at * n + j];
                }
                CHECK_CLOSE(sum, f.distance, 1e-10 * (1 + sum));
                vdi_lds_innovation(&f, E);
                for (int64_t j = 0; j < n; j++) {
                    const bool there = y[at * n + j] == y[at * n + j];
                    if (there)
                        CHECK_CLOSE(E[j], e[at * n + j], 1e-10);
                    else
                        CHECK(E[j] != E[j], "%g where nothing came", E[j]);
                }
                P = Ps + (vdi_lds_data_lane(data, i) * T + t) * d * d;
                double want = p->b[1] + (U ? p->D[1] * ut[0] : 0), variance = p->R[4];
                for (int64_t k = 0; k < d; k++)
                    want += p->C[d + k] * ms[at * d + k];
                for (int64_t k = 0; k < d * d; k++)
                    variance += p->C[d + k / d] * P[k] * p->C[d + k % d];
                CHECK_CLOSE(ys[at * n + 1], want, 1e-11 * (1 + fabs(want)));
                CHECK_CLOSE(yv[at * n + 1], variance, 1e-11);
            }
            free(block);
        }
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        free(u);
        free(y);
        free(ys);
        free(yv);
        free(ms);
        free(e);
        free(Ps);
    }
}

/* ---- sampling, forecasting ------------------------------------------------------------------- */

/* Two latents of a bin in S samples, `step` numbers apart: five standard errors. */
static void means_agree(int64_t S, int64_t step, const double *z, const double *m,
                        const double *P) {
    for (int k = 0; k < 2; k++) {
        double sum = 0;
        for (int64_t s = 0; s < S; s++)
            sum += z[s * step + k] - m[k];
        CHECK_CLOSE(sum / (double)S, 0, 5 * sqrt(fabs(P[3 * k]) / (double)S) + 1e-12);
    }
}

/* Cov(a, b) = C of two bins whose own covariances are A and B. */
static void covariances_agree(int64_t S, int64_t step, const double *a, const double *b,
                              const double *ma, const double *mb, const double *A, const double *B,
                              const double *C) {
    for (int k = 0; k < 4; k++) {
        double sum = 0;
        const double c = C[k], scale = A[3 * (k / 2)] * B[3 * (k % 2)];
        for (int64_t s = 0; s < S; s++)
            sum += (a[s * step + k / 2] - ma[k / 2]) * (b[s * step + k % 2] - mb[k % 2]);
        CHECK_CLOSE(sum / (double)S, c, 5 * sqrt(fabs(scale + c * c) / (double)S) + 1e-12);
    }
}

static void samples_have_the_moments(vdi_lds *p) {
    int64_t B = 3;
    int64_t T = 5;
    int64_t d = 2;
    int64_t S = 20000;
    int64_t lengths[3] = {5, 3, 5};
    double *y = simulate(p, 1, B, T, NULL), *z = numbers(S * B * T * d), *ms = numbers(B * T * d);
    vdi_error err = {0};
    y[4] = NAN;
    vdi_lds_data *data = data_of(p, y, NULL, B, T, lengths);
    double *Ps = numbers(vdi_lds_data_lanes(data) * T * d * d);
    double *Pc = numbers(vdi_lds_data_lanes(data) * (T - 1) * d * d);
    vdi_lds_moments m = {0};
    m.ms = ms;
    m.Ps = Ps;
    m.Pc = Pc;
    CHECK_OK(vdi_lds_smooth(p, data, &m, &err), err);
    CHECK_OK(vdi_lds_sample(p, data, S, 5, z, &err), err);
    for (int64_t i = 0; i < B; i++) {
        for (int64_t t = 0; t < lengths[i]; t++) {
            const int64_t lane = vdi_lds_data_lane(data, i), at = i * T + t;
            const double *P = Ps + (lane * T + t) * d * d;
            means_agree(S, B * T * d, z + at * d, ms + at * d, P);
            covariances_agree(S, B * T * d, z + at * d, z + at * d, ms + at * d, ms + at * d, P, P,
                              P);
            if (t + 1 == lengths[i]) continue;
            covariances_agree(S, B * T * d, z + (at + 1) * d, z + at * d, ms + (at + 1) * d,
                              ms + at * d, P + d * d, P, Pc + (lane * (T - 1) + t) * d * d);
        }
    }
    free(y);
    free(z);
    free(ms);
    free(Ps);
    free(Pc);
    vdi_lds_data_destroy(data);
}

TEST(lds, samples_have_the_posterior_moments) {
    vdi_lds *p = make(2, 3, 0, false, 1), *known = make(2, 3, 0, true, 1);
    samples_have_the_moments(p);
    known->R[0] = 0; /* and R is without noise for one channel, Q along one direction */
    memset(known->Q, 0, 4 * sizeof(double));
    known->Q[0] = 0.5;
    samples_have_the_moments(known);
    vdi_lds_destroy(p);
    vdi_lds_destroy(known);
}

/* A forecast is what smoothing says of bins that are all missing. */
TEST(lds, forecast_equals_smoothing_of_missing_bins) {
    int64_t B = 2;
    int64_t T = 9;
    int64_t H = 4;
    int64_t d = 3;
    int64_t n = 4;
    int64_t U = 1;
    int64_t lengths[2] = {5, 5};
    vdi_lds *p = make(d, n, U, false, 8);
    unsigned long long seed = 2;
    vdi_error err = {0};
    double *u = numbers(B * T * U), *future = numbers(B * H * U);
    for (int64_t i = 0; i < B * T * U; i++)
        u[i] = test_normal(&seed);
    double *y = simulate(p, 4, B, T, u);
    for (int64_t i = 0; i < B * T * n; i++)
        if (i / n % T >= 5) y[i] = NAN;
    for (int64_t i = 0; i < B * H; i++)
        future[i] = u[i / H * T + 5 + i % H];
    vdi_lds_data *known = data_of(p, y, u, B, T, lengths), *all = data_of(p, y, u, B, T, NULL);
    double *zm = numbers(B * H * d);
    double *zc = numbers(B * H * d * d);
    double *ym = numbers(B * H * n);
    double *yc = numbers(B * H * n * n);
    double *ms = numbers(B * T * d);
    double *Ps = numbers(vdi_lds_data_lanes(all) * T * d * d);
    vdi_lds_moments moments = {0};
    moments.ms = ms;
    moments.Ps = Ps;
    CHECK_OK(vdi_lds_smooth(p, all, &moments, &err), err);
    CHECK_OK(vdi_lds_forecast(p, known, H, future, zm, zc, ym, yc, &err), err);
    for (int64_t i = 0; i < B; i++) {
        for (int64_t h = 0; h < H; h++) {
            CHECK_CLOSE(largest_difference(zm + (i * H + h) * d, ms + (i * T + 5 + h) * d, d), 0,
                        1e-11);
            CHECK_CLOSE(largest_difference(zc + (i * H + h) * d * d,
                                           Ps + (vdi_lds_data_lane(all, i) * T + 5 + h) * d * d,
                                           d * d),
                        0, 1e-11);
            const double *m = zm + (i * H + h) * d, *V = zc + (i * H + h) * d * d;
            for (int64_t j = 0; j < n; j++) {
                double want = p->b[j] + p->D[j] * future[i * H + h];
                for (int64_t k = 0; k < d; k++)
                    want += p->C[j * d + k] * m[k];
                CHECK_CLOSE(ym[(i * H + h) * n + j], want, 1e-12 * (1 + fabs(want)));
                for (int64_t l = 0; l < n; l++) {
                    double cov = p->R[j * n + l];
                    for (int64_t k = 0; k < d * d; k++)
                        cov += p->C[j * d + k / d] * V[k] * p->C[l * d + k % d];
                    CHECK_CLOSE(yc[((i * H + h) * n + j) * n + l], cov, 1e-12 * (1 + fabs(cov)));
                }
            }
        }
    }
    free(u);
    free(future);
    free(y);
    free(zm);
    free(zc);
    free(ym);
    free(yc);
    free(ms);
    free(Ps);
    vdi_lds_data_destroy(known);
    vdi_lds_data_destroy(all);
    vdi_lds_destroy(p);
}

/* ---- wrong input ----------------------------------------------------------------------------- */

TEST(lds, wrong_input_is_told) {
    vdi_error err = {0};
    vdi_lds_desc desc = {0};
    vdi_lds *p;
    vdi_lds_data *data;
    vdi_lds_data_desc dd = {0};
    double y[24] = {0};
    CHECK_FAILS(vdi_lds_create(&desc, &p, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "d is 0") != NULL, "%s", err.message);
    desc.d = 2;
    desc.n = 3;
    desc.q_floor = -1;
    CHECK_FAILS(vdi_lds_create(&desc, &p, &err), VDI_ERR_ARGUMENT);
    desc.q_floor = 0;
    CHECK_OK(vdi_lds_create(&desc, &p, &err), err);
    dd.y = vdi_tensor_3d(y, VDI_F64, 2, 3, 4);
    CHECK_FAILS(vdi_lds_data_create(p, &dd, &data, &err), VDI_ERR_SHAPE);
    CHECK(strstr(err.message, "(2,3,4)") != NULL, "%s", err.message);
    dd.y = vdi_tensor_3d(y, VDI_F64, 2, 4, 3);
    int64_t lengths[2] = {4, 5};
    dd.lengths = lengths;
    CHECK_FAILS(vdi_lds_data_create(p, &dd, &data, &err), VDI_ERR_ARGUMENT);
    lengths[1] = 2;
    y[3] = HUGE_VAL;
    CHECK_FAILS(vdi_lds_data_create(p, &dd, &data, &err), VDI_ERR_DATA);
    CHECK(strstr(err.message, "y[0,1,0]") != NULL, "%s", err.message);
    y[3] = 1;
    y[23] = HUGE_VAL; /* behind the end of trial 1: not looked at */
    CHECK_OK(vdi_lds_data_create(p, &dd, &data, &err), err);
    double ll, A = p->A[0];
    p->R[1] = 0.5; /* R[3] is 0 */
    CHECK_FAILS(vdi_lds_check(p, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "R is not symmetric") != NULL, "%s", err.message);
    CHECK_FAILS(vdi_lds_em_step(p, data, &ll, &err), VDI_ERR_ARGUMENT);
    p->R[1] = 0;
    p->Q[0] = -1;
    CHECK_FAILS(vdi_lds_em_step(p, data, &ll, &err), VDI_ERR_NOT_POSITIVE_DEFINITE);
    CHECK(strstr(err.message, "Q ") != NULL, "%s", err.message);
    p->Q[0] = 1;
    p->A[0] = NAN;
    CHECK(vdi_lds_em_step(p, data, &ll, &err) < 0, "a model with NaN was taken");
    CHECK(vdi_lds_check(p, &err) < 0 && strstr(err.message, "A ") != NULL, "%s", err.message);
    p->A[0] = A;
    CHECK_OK(vdi_lds_em_step(p, data, &ll, &err), err); /* the object is usable after the errors */
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(p);
}

/* The state says what the model is, exactly; what is no value is named. */
TEST(lds, descriptions_read_back_exactly) {
    vdi_error err = {0};
    vdi_lds_desc desc = {0}, read = {0}, bad = {0};
    vdi_lds *p = NULL;
    desc.d = 2;
    desc.n = 3;
    desc.inputs = 4;
    desc.diagonal_r = true;
    desc.freeze = VDI_LDS_C | VDI_LDS_Q0;
    desc.r_floor = 0.1 / 3;
    desc.q_floor = 1e-3 / 7;
    desc.max_radius = 0.7;
    CHECK_OK(vdi_lds_create(&desc, &p, &err), err);
    const vdi_state state = vdi_lds_state(p);
    CHECK(state.tensor_count == VDI_LDS_PARAMS && state.tensors[3].tensor.data == p->C);
    CHECK_OK(vdi_lds_desc_from_meta(&read, state.meta, state.meta_count, &err), err);
    CHECK(read.d == 2 && read.n == 3 && read.inputs == 4 && read.diagonal_r);
    CHECK(read.freeze == desc.freeze && read.r_floor == desc.r_floor);
    CHECK(read.q_floor == desc.q_floor && read.max_radius == desc.max_radius);
    for (int64_t i = 0; i < state.meta_count; i++) {
        const vdi_meta kept = state.meta[i];
        state.meta[i].value = "?";
        CHECK_FAILS(vdi_lds_desc_from_meta(&bad, state.meta, state.meta_count, &err),
                    VDI_ERR_FORMAT);
        CHECK(strstr(err.message, kept.key) != NULL, "%s: %s", kept.key, err.message);
        state.meta[i] = kept;
    }
    vdi_lds_destroy(p);
}

/* Data made for a diagonal R lack what a full one needs, and the other way round. */
TEST(lds, data_of_another_model_are_refused) {
    vdi_error err = {0};
    double y[12] = {1, 2, 3, 4}, ll = 0;
    vdi_lds *p[2] = {make(1, 2, 0, false, 1), make(1, 2, 0, true, 1)};
    vdi_lds_data *data[2] = {data_of(p[0], y, NULL, 2, 3, NULL),
                             data_of(p[1], y, NULL, 2, 3, NULL)};
    for (int i = 0; i < 2; i++) {
        CHECK_FAILS(vdi_lds_em_step(p[i], data[1 - i], &ll, &err), VDI_ERR_SHAPE);
        CHECK(strstr(err.message, i ? "diagonal" : "full") != NULL, "%s", err.message);
        CHECK_OK(vdi_lds_em_step(p[i], data[i], &ll, &err), err);
    }
    for (int i = 0; i < 2; i++) {
        vdi_lds_data_destroy(data[i]);
        vdi_lds_destroy(p[i]);
    }
}

/* Fail each allocation in turn: a status, nothing left behind. */
TEST(lds, memory_runs_out) {
    double y[60];
    vdi_error err = {0};
    for (int i = 0; i < 60; i++)
        y[i] = sin(i);
    y[7] = NAN;
    for (long at = 1;; at++) {
        test_allocator t = {0};
        vdi_lds *p = NULL;
        vdi_lds_data *data = NULL;
        vdi_lds_desc desc = {0};
        vdi_lds_data_desc dd = {0};
        t.fail_at = at;
        desc.d = 2;
        desc.n = 3;
        desc.allocator = test_allocator_of(&t);
        dd.y = vdi_tensor_3d(y, VDI_F64, 4, 5, 3);
        dd.allocator = desc.allocator;
        vdi_status status = vdi_lds_create(&desc, &p, &err);
        if (status == VDI_OK) status = vdi_lds_data_create(p, &dd, &data, &err);
        if (status == VDI_OK) {
            long before = t.requests;
            double ll;
            CHECK_OK(vdi_lds_init(p, data, 1, &err), err);
            CHECK_OK(vdi_lds_em_step(p, data, &ll, &err), err);
            CHECK(t.requests == before, "a step made %ld allocations", t.requests - before);
        } else {
            CHECK(status == VDI_ERR_MEMORY, "%s: %s", vdi_status_name(status), err.message);
        }
        vdi_lds_data_destroy(data);
        vdi_lds_destroy(p);
        CHECK(t.live == 0, "%ld blocks left after failing request %ld", t.live, at);
        if (status == VDI_OK) break;
    }
}

TEST(lds, counts_of_data) {
    enum { B = 3, LONGEST = 5, N = 2 };
    vdi_lds *p = make(2, N, 0, true, 3);
    double y[B * LONGEST * N];
    const int64_t lengths[B] = {5, 3, 1};
    vdi_lds_data_desc desc = {0};
    vdi_lds_data *data = NULL;
    vdi_error err = {0};
    for (int i = 0; i < B * LONGEST * N; i++)
        y[i] = i;
    y[2] = y[3] = NAN; /* bin 1 of trial 0 has nothing, bin 2 one value */
    y[4] = NAN;
    desc.y = vdi_tensor_3d(y, VDI_F64, B, LONGEST, N);
    desc.lengths = lengths;
    CHECK_OK(vdi_lds_data_desc_check(p, &desc, &err), err);
    CHECK_OK(vdi_lds_data_create(p, &desc, &data, &err), err);
    CHECK(vdi_lds_data_trials(data) == B && vdi_lds_data_bins(data) == LONGEST, "sizes");
    CHECK(vdi_lds_data_observed_bins(data) == 8, "%d bins with a value",
          (int)vdi_lds_data_observed_bins(data));
    vdi_lds_data_destroy(data);
    const int64_t beyond[B] = {5, 6, 1};
    desc.lengths = beyond;
    CHECK(vdi_lds_data_desc_check(p, &desc, &err) < 0, "a trial longer than the array");
    desc.lengths = NULL;
    desc.y = vdi_tensor_3d(y, VDI_F64, B, LONGEST, 1);
    CHECK_FAILS(vdi_lds_data_desc_check(p, &desc, &err), VDI_ERR_SHAPE);
    vdi_lds_destroy(p);
}
