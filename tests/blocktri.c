/* The block-tridiagonal solver against dense algebra, against references, and its adjoints against
 * differences. */
#include "check.h"

typedef unsigned long long seed_t;

static double get(vdi_dtype dtype, const void *p, int64_t i) { return vdi_dtype_load(dtype, p, i); }

/* A batch made from its own factor: L (unit to 2 on the diagonal), M, and J's blocks D, E from
 * them. Behind a trial's length: NaN. */
typedef struct batch {
    vdi_dtype dtype;
    int64_t B, T, d;
    int64_t *lengths;
    void *D, *E, *h, *eps;
    double *J; /* dense (B, Td, Td) as the solver sees it, cut to T = length * d rows */
    void *mem;
    vdi_blocktri bt;
    vdi_blocktri_desc desc;
} batch;

static void *make(int64_t n, size_t size) {
    void *p = calloc((size_t)(n + 1), size);
    CHECK(p != NULL, "out of memory");
    return p;
}

static void batch_free(batch *b) {
    free(b->lengths);
    free(b->D);
    free(b->E);
    free(b->h);
    free(b->eps);
    free(b->J);
    free(b->mem);
}

/* ragged: 0 all T, 1 lengths of every kind, 0 and 1 among them. tight: how large M is against L, so
 * how badly conditioned. */
static void batch_make(batch *b, vdi_dtype dtype, int64_t B, int64_t T, int64_t d, int ragged,
                       double tight, vdi_pool *pool) {
    seed_t s = (seed_t)(88172645463325252ull + (seed_t)(B * 1000003 + T * 10007 + d * 101));
    const int64_t dd = d * d;
    const size_t real = vdi_dtype_size(dtype);
    memset(b, 0, sizeof *b);
    b->dtype = dtype;
    b->B = B;
    b->T = T;
    b->d = d;
    b->D = make(B * T * dd, real);
    b->E = make(B * T * dd, real);
    b->h = make(B * T * d, real);
    b->eps = make(B * T * d, real);
    b->J = (double *)make(B * T * d * T * d, sizeof(double));
    if (ragged) b->lengths = (int64_t *)make(B, sizeof(int64_t));
    for (int64_t i = 0; i < B; i++) {
        int64_t length = T;
        if (ragged) {
            length = b->lengths[i] = i % 3 == 0   ? (int64_t)(test_uniform(&s) * (double)(T + 1))
                                     : i % 3 == 1 ? (i / 3 % 2 ? 0 : VDI__MIN(T, 1))
                                                  : T;
        }
        double *L = (double *)make(T * dd, sizeof(double));
        double *M = (double *)make(T * dd, sizeof(double));
        for (int64_t t = 0; t < T; t++) {
            for (int64_t r = 0; r < d; r++) {
                for (int64_t c = 0; c < d; c++) {
                    if (c <= r) {
                        L[t * dd + r * d + c] =
                            r == c ? 1 + test_uniform(&s) : 0.6 * (test_uniform(&s) - 0.5);
                    }
                    M[t * dd + r * d + c] = tight * (test_uniform(&s) - 0.5) / sqrt((double)d);
                }
            }
        }
        for (int64_t t = 0; t < T; t++) {
            for (int64_t r = 0; r < d; r++) {
                for (int64_t c = 0; c < d; c++) {
                    double D = 0, E = 0;
                    for (int64_t k = 0; k < d; k++) {
                        D += L[t * dd + r * d + k] * L[t * dd + c * d + k];
                        if (t) D += M[(t - 1) * dd + r * d + k] * M[(t - 1) * dd + c * d + k];
                        E += M[t * dd + r * d + k] * L[t * dd + c * d + k];
                    }
                    vdi_dtype_store(dtype, b->D, (i * T + t) * dd + r * d + c,
                                    t < length ? D : (double)NAN);
                    if (t + 1 < T) {
                        vdi_dtype_store(dtype, b->E, (i * (T - 1) + t) * dd + r * d + c,
                                        t + 1 < length ? E : (double)NAN);
                    }
                }
            }
        }
        const int64_t n = T * d;
        for (int64_t t = 0; t < length; t++) {
            for (int64_t r = 0; r < d; r++) {
                for (int64_t c = 0; c < d; c++) {
                    b->J[i * n * n + (t * d + r) * n + t * d + c] =
                        get(dtype, b->D, (i * T + t) * dd + (r > c ? r * d + c : c * d + r));
                    if (t + 1 < length) {
                        b->J[i * n * n + ((t + 1) * d + r) * n + t * d + c] =
                            b->J[i * n * n + (t * d + c) * n + (t + 1) * d + r] =
                                get(dtype, b->E, (i * (T - 1) + t) * dd + r * d + c);
                    }
                }
            }
        }
        for (int64_t t = 0; t < T * d; t++) {
            vdi_dtype_store(dtype, b->h, i * T * d + t,
                            t < length * d ? test_normal(&s) : (double)NAN);
            vdi_dtype_store(dtype, b->eps, i * T * d + t,
                            t < length * d ? test_normal(&s) : (double)NAN);
        }
        free(L);
        free(M);
    }
    b->desc.dtype = dtype;
    b->desc.trials = B;
    b->desc.T = T;
    b->desc.d = d;
    b->desc.lengths = b->lengths;
    b->desc.pool = pool;
    const size_t size = vdi_blocktri_memsize(&b->desc);
    b->mem = make((int64_t)size, 1);
    vdi_error err;
    CHECK_OK(vdi_blocktri_init(&b->bt, &b->desc, b->mem, size, &err), err);
}

static int64_t length_of(const batch *b, int64_t i) { return b->lengths ? b->lengths[i] : b->T; }

/* Inverse and log det of the first n of N rows, by a plain Cholesky; C (n,n) lower comes along. */
static double dense_inverse(int64_t n, int64_t N, const double *J, double *C, double *inverse) {
    double logdet = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double s = J[i * N + j];
            for (int64_t k = 0; k < j; k++)
                s -= C[i * n + k] * C[j * n + k];
            C[i * n + j] = i == j ? sqrt(s) : s / C[j * n + j];
            if (i == j) logdet += 2 * log(C[i * n + i]);
        }
    }
    for (int64_t c = 0; c < n; c++) {
        double *x = inverse + c * n;
        for (int64_t i = 0; i < n; i++) {
            double s = i == c;
            for (int64_t k = 0; k < i; k++)
                s -= C[i * n + k] * x[k];
            x[i] = s / C[i * n + i];
        }
        for (int64_t i = n - 1; i >= 0; i--) {
            double s = x[i];
            for (int64_t k = i + 1; k < n; k++)
                s -= C[k * n + i] * x[k];
            x[i] = s / C[i * n + i];
        }
    }
    return logdet;
}

static double norm_inf(int64_t n, int64_t N, const double *A) {
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double s = 0;
        for (int64_t j = 0; j < n; j++)
            s += fabs(A[i * N + j]);
        worst = test_worst(worst, s);
    }
    return worst;
}

/* Everything that one batch can say, as LAPACK-style ratios: an error over (size n eps). */
static double batch_check(batch *b) {
    const int64_t B = b->B;
    const int64_t T = b->T;
    const int64_t d = b->d;
    const int64_t dd = d * d;
    const int64_t N = T * d;
    const vdi_dtype dt = b->dtype;
    const size_t real = vdi_dtype_size(dt);
    const double eps = dt == VDI_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    void *L = make(B * T * dd, real);
    void *M = make(B * T * dd, real);
    void *S = make(B * T * dd, real);
    void *O = make(B * T * dd, real);
    void *x = make(2 * B * N, real);
    void *z = make(B * N, real);
    void *u = make(B * N, real);
    void *y = make(B * N, real);
    void *ld = make(B, real);
    void *h2 = make(2 * B * N, real);
    double *C = (double *)make(N * N, sizeof(double)), *K = (double *)make(N * N, sizeof(double));
    double worst = 0;
    vdi_error err;
    for (int64_t i = 0; i < B * T * dd; i++) { /* whatever is not written shows */
        for (int k = 0; k < 4; k++)
            vdi_dtype_store(dt, k == 0 ? L : k == 1 ? M : k == 2 ? S : O, i, 7);
    }
    CHECK_OK(vdi_blocktri_factor(&b->bt, b->D, T > 1 ? b->E : NULL, &err), err);
    vdi_blocktri_get_factor(&b->bt, L, M);
    vdi_blocktri_logdet(&b->bt, ld);
    memcpy(h2, b->h, (size_t)(B * N) * real);
    memcpy((char *)h2 + (size_t)(B * N) * real, b->eps, (size_t)(B * N) * real);
    vdi_blocktri_solve(&b->bt, 2, h2, x);
    memcpy(z, b->eps, (size_t)(B * N) * real);
    vdi_blocktri_sample(&b->bt, 1, z, z);
    vdi_blocktri_solve_lower(&b->bt, 1, b->h, u);
    vdi_blocktri_marginals(&b->bt, S, O);
    vdi_blocktri_matvec(&b->bt, b->D, b->E, 1, x, y);
    for (int64_t i = 0; i < B; i++) {
        const int64_t length = length_of(b, i), n = length * d;
        const double *J = b->J + i * N * N;
        const double logdet = dense_inverse(n, N, J, C, K);
        const double nJ = norm_inf(n, N, J), nK = norm_inf(n, n, K), unit = eps * (double)(n + 1);
        double rJ = 0;
        double rx = 0;
        double rz = 0;
        double ru = 0;
        double ry = 0;
        double rS = 0;
        double mx = 0;
        double mz = 0;
        double mu = 0;
        for (int64_t r = 0; r < n; r++)
            mx = fmax(mx, fabs(get(dt, x, i * N + r)));
        for (int64_t r = 0; r < n; r++) {
            mz = fmax(mz, fabs(get(dt, z, i * N + r)));
            mu = fmax(mu, fabs(get(dt, u, i * N + r)));
        }
        for (int64_t t = 0; t < length; t++) {
            for (int64_t r = 0; r < d; r++) {
                double hx = get(dt, b->h, i * N + t * d + r);
                double hu = hx;
                double ez = get(dt, b->eps, i * N + t * d + r);
                double ey = -get(dt, y, i * N + t * d + r);
                for (int64_t c = 0; c < d; c++) {
                    const int64_t at = (i * T + t) * dd;
                    const int64_t before = (i * (T - 1) + t - 1) * dd;
                    const int64_t after = (i * (T - 1) + t) * dd;
                    const double l = get(dt, L, at + r * d + c), lt = get(dt, L, at + c * d + r);
                    double LL = 0;
                    CHECK(c <= r || l == 0, "L has %g above the diagonal", l);
                    CHECK(c != r || l > 0, "L has %g on the diagonal", l);
                    for (int64_t k = 0; k < d; k++) {
                        LL += get(dt, L, at + r * d + k) * get(dt, L, at + c * d + k);
                        if (t)
                            LL += get(dt, M, before + r * d + k) * get(dt, M, before + c * d + k);
                    }
                    rJ = test_worst(rJ, fabs(LL - J[(t * d + r) * N + t * d + c]));
                    hu -= l * get(dt, u, i * N + t * d + c);
                    ez -= lt * get(dt, z, i * N + t * d + c);
                    rS = test_worst(
                        rS, fabs(get(dt, S, at + r * d + c) - K[(t * d + r) * n + t * d + c]));
                    CHECK(get(dt, S, at + r * d + c) == get(dt, S, at + c * d + r),
                          "S is not symmetric");
                    if (t)
                        hu -= get(dt, M, before + r * d + c) * get(dt, u, i * N + (t - 1) * d + c);
                    if (t + 1 < length) {
                        double ML = 0;
                        for (int64_t k = 0; k < d; k++)
                            ML += get(dt, M, after + r * d + k) * get(dt, L, at + c * d + k);
                        rJ = test_worst(rJ, fabs(ML - J[((t + 1) * d + r) * N + t * d + c]));
                        ez -= get(dt, M, after + c * d + r) * get(dt, z, i * N + (t + 1) * d + c);
                        rS = test_worst(rS, fabs(get(dt, O, after + r * d + c) -
                                                 K[((t + 1) * d + r) * n + t * d + c]));
                    }
                }
                for (int64_t k = 0; k < n; k++) {
                    hx -= J[(t * d + r) * N + k] * get(dt, x, i * N + k);
                    ey += J[(t * d + r) * N + k] * get(dt, x, i * N + k);
                }
                rx = test_worst(rx, fabs(hx));
                ru = test_worst(ru, fabs(hu));
                rz = test_worst(rz, fabs(ez));
                ry = test_worst(ry, fabs(ey));
            }
        }
        if (n) {
            worst = test_worst(worst, rJ / (nJ * unit));
            worst = test_worst(worst, rx / (nJ * mx * unit));
            worst = test_worst(worst, ry / (nJ * mx * unit));
            worst = test_worst(worst, rz / (sqrt(nJ) * mz * unit));
            worst = test_worst(worst, ru / (sqrt(nJ) * mu * unit));
            worst = test_worst(worst, rS / (nJ * nK * nK * unit));
            worst = test_worst(worst, fabs(get(dt, ld, i) - logdet) /
                                          ((double)(n + 1) * (nJ * nK * eps)) / 4);
        } else {
            CHECK(get(dt, ld, i) == 0, "a trial without bins has log determinant %g",
                  get(dt, ld, i));
        }
        CHECK(worst < 30,
              "d %d, trials %d, T %d, trial %d of length %d: L %g, x %g, y %g, z %g, u %g, S %g, "
              "log det off by %g",
              (int)d, (int)B, (int)T, (int)i, (int)length, rJ, rx, ry, rz, ru, rS,
              fabs(get(dt, ld, i) - logdet));
        for (int64_t k = length * d; k < N; k++) {
            CHECK(get(dt, x, i * N + k) == 0 && get(dt, x, (B + i) * N + k) == 0 &&
                      get(dt, z, i * N + k) == 0 && get(dt, u, i * N + k) == 0 &&
                      get(dt, y, i * N + k) == 0,
                  "behind the length stands %g", get(dt, x, i * N + k));
        }
        for (int64_t k = length * dd; k < T * dd; k++) {
            CHECK(get(dt, S, i * T * dd + k) == 0 && get(dt, L, i * T * dd + k) == 0,
                  "behind the length stands %g", get(dt, S, i * T * dd + k));
        }
        for (int64_t k = VDI__MAX(length - 1, (int64_t)0) * dd; k < (T - 1) * dd; k++) {
            CHECK(get(dt, O, i * (T - 1) * dd + k) == 0 && get(dt, M, i * (T - 1) * dd + k) == 0,
                  "behind the length stands %g", get(dt, O, i * (T - 1) * dd + k));
        }
    }
    /* the second right-hand side went its own way: the same bits as alone */
    vdi_blocktri_solve(&b->bt, 1, b->eps, y);
    CHECK(memcmp(y, (char *)x + (size_t)(B * N) * real, (size_t)(B * N) * real) == 0,
          "the second right-hand side differs from itself alone");
    free(L);
    free(M);
    free(S);
    free(O);
    free(x);
    free(z);
    free(u);
    free(y);
    free(ld);
    free(h2);
    free(C);
    free(K);
    return worst;
}

TEST(blocktri, against_dense_algebra) {
    static const int64_t Ts[] = {1, 2, 3, 5, 8, 13, 33};
    for (int simd = VDI_SIMD_SCALAR; simd < VDI_SIMD_COUNT; simd++) {
        if (vdi_simd_set((vdi_simd)simd) < 0) continue;
        double worst = 0;
        size_t cases = 0;
        for (int real = 0; real < 2; real++) {
            for (int64_t d = 1; d <= 16; d++) {
                for (int64_t B = 1; B <= 17; B++) {
                    for (size_t k = 0; k < VDI__COUNT(Ts); k++) {
                        const int64_t T =
                            (Ts[k] + B) % 34 ? (k == 6 ? 33 : 1 + (Ts[k] * 3 + B + d) % 33) : 1;
                        if (T * d > 200 || (T * d > 60 && (B + d + (int64_t)k) % 4)) continue;
                        if (simd != (int)vdi_simd_active() || (d + B + (int64_t)k) % 3 ||
                            !test_chosen(cases++))
                            continue;
                        batch b;
                        batch_make(&b, real ? VDI_F64 : VDI_F32, B, T, d, (d + B) % 2 != 0, 1.0,
                                   NULL);
                        worst = test_worst(worst, batch_check(&b));
                        batch_free(&b);
                    }
                }
            }
        }
        CHECK(worst < 30, "worst ratio %g on %s", worst, vdi_simd_name((vdi_simd)simd));
    }
    (void)vdi_simd_set(VDI_SIMD_AUTO);
}

/* 1 to 9 right-hand sides at once, on every path: the bits of each alone (which batch_check holds
   against dense algebra), and adjoints that add up to those of each alone. */
TEST(blocktri, many_right_hand_sides) {
    static const int64_t ds[] = {1, 2, 3, 4, 5, 8, 9, 17}, Bs[] = {1, 2, 9};
    enum { MOST = 9, T = 5 };
    size_t cases = 0;
    for (int simd = VDI_SIMD_SCALAR; simd < VDI_SIMD_COUNT; simd++) {
        if (vdi_simd_set((vdi_simd)simd) < 0 || simd != (int)vdi_simd_active()) continue;
        for (int i = 0; i < 2 * (int)VDI__COUNT(ds) * (int)VDI__COUNT(Bs); i++) {
            const vdi_dtype dt = i % 2 ? VDI_F64 : VDI_F32;
            const int64_t d = ds[i / 2 % (int)VDI__COUNT(ds)];
            const int64_t B = Bs[i / 2 / (int)VDI__COUNT(ds)];
            const int64_t N = B * T * d;
            const int64_t dd = B * T * d * d;
            const size_t real = vdi_dtype_size(dt), bytes = (size_t)N * real;
            if (!test_chosen(cases++)) continue;
            batch b;
            vdi_error err;
            seed_t s = (seed_t)(77 + i);
            batch_make(&b, dt, B, T, d, i % 4 == 1, 1.0, NULL);
            CHECK_OK(vdi_blocktri_factor(&b.bt, b.D, b.E, &err), err);
            char *h = (char *)make(MOST * N, real);
            char *all = (char *)make(MOST * N, real);
            char *one = (char *)make(MOST * N, real);
            char *bar = (char *)make(2 * MOST * N, real), *blocks = (char *)make(4 * dd, real);
            void *work = make((int64_t)vdi_blocktri_adjoint_worksize(&b.desc), 1);
            for (int64_t k = 0; k < MOST * N; k++)
                vdi_dtype_store(dt, h, k, test_normal(&s));
            for (int what = 0; what < 3; what++) {
                for (int64_t nrhs = 1; nrhs <= MOST; nrhs++) {
                    void (*const f[3])(const vdi_blocktri *, int64_t, const void *, void *) = {
                        vdi_blocktri_solve, vdi_blocktri_solve_lower, vdi_blocktri_sample};
                    f[what](&b.bt, nrhs, h, all);
                    for (int64_t k = 0; k < nrhs; k++)
                        f[what](&b.bt, 1, h + (size_t)k * bytes, one + (size_t)k * bytes);
                    CHECK(!memcmp(all, one, (size_t)nrhs * bytes),
                          "%s, d %d, trials %d: %s with %d right-hand sides differs",
                          vdi_simd_name((vdi_simd)simd), (int)d, (int)B,
                          what == 0   ? "solve"
                          : what == 1 ? "lower"
                                      : "sample",
                          (int)nrhs);
                    if (what == 1) continue;
                    memset(bar, 0, (size_t)(2 * MOST) * bytes);
                    memset(blocks, 0, (size_t)(4 * dd) * real);
                    for (int64_t k = 0; k <= nrhs; k++) {
                        const bool last = k == nrhs; /* all at once, after each alone */
                        const size_t at = last ? 0 : (size_t)k * bytes;
                        char *to = bar + (last ? (size_t)MOST * bytes : at);
                        char *D = blocks + (last ? (size_t)(2 * dd) * real : 0);
                        (what == 0 ? vdi_blocktri_solve_adjoint : vdi_blocktri_sample_adjoint)(
                            &b.bt, last ? nrhs : 1, all + at, h + at, work, to, D,
                            D + (size_t)dd * real);
                    }
                    CHECK(!memcmp(bar, bar + (size_t)MOST * bytes, (size_t)nrhs * bytes),
                          "%s, d %d: adjoints of %d right-hand sides differ",
                          vdi_simd_name((vdi_simd)simd), (int)d, (int)nrhs);
                    double worst = 0, size = 0;
                    for (int64_t k = 0; k < 2 * dd; k++) {
                        worst = test_worst(worst,
                                           fabs(get(dt, blocks, k) - get(dt, blocks, 2 * dd + k)));
                        size = fmax(size, fabs(get(dt, blocks, k)));
                    }
                    CHECK(worst <= 100 * size * (real == 8 ? DBL_EPSILON : (double)FLT_EPSILON),
                          "%s, d %d: cotangents of D and E with %d right-hand sides are off by %g "
                          "of %g",
                          vdi_simd_name((vdi_simd)simd), (int)d, (int)nrhs, worst, size);
                }
            }
            free(h);
            free(all);
            free(one);
            free(bar);
            free(blocks);
            free(work);
            batch_free(&b);
        }
    }
    (void)vdi_simd_set(VDI_SIMD_AUTO);
}

/* ---- adjoints -------------------------------------------------------------------------------- */

enum { LOGDET = 1, SOLVE = 2, SAMPLE = 4, MARGINALS = 8, FACTOR = 16, ALL = 31 };

/* F = sum of fixed weights times outputs, of the parts asked for; with `gradient`, its cotangents
 * by vdi's adjoints. */
typedef struct weights {
    double *ld, *x, *z, *S, *O, *L, *M;
} weights;

static double functional(batch *b, int parts, int64_t nrhs, const weights *w, const double *h,
                         const double *eps, double *hbar, double *epsbar, double *Dbar,
                         double *Ebar) {
    const int64_t B = b->B;
    const int64_t T = b->T;
    const int64_t d = b->d;
    const int64_t dd = d * d;
    const int64_t N = B * T * d;
    double *ld = (double *)make(B, 8);
    double *x = (double *)make(nrhs * N, 8);
    double *z = (double *)make(nrhs * N, 8);
    double *S = (double *)make(N * d, 8);
    double *O = (double *)make(N * d, 8);
    double *L = (double *)make(N * d, 8);
    double *M = (double *)make(N * d, 8);
    double F = 0;
    vdi_error err;
    CHECK_OK(vdi_blocktri_factor(&b->bt, b->D, b->E, &err), err);
    vdi_blocktri_logdet(&b->bt, ld);
    vdi_blocktri_solve(&b->bt, nrhs, h, x);
    vdi_blocktri_sample(&b->bt, nrhs, eps, z);
    vdi_blocktri_marginals(&b->bt, S, O);
    vdi_blocktri_get_factor(&b->bt, L, M);
    for (int64_t i = 0; (parts & LOGDET) && i < B; i++)
        F += w->ld[i] * ld[i];
    for (int64_t i = 0; (parts & SOLVE) && i < nrhs * N; i++)
        F += w->x[i] * x[i];
    for (int64_t i = 0; (parts & SAMPLE) && i < nrhs * N; i++)
        F += w->z[i] * z[i];
    for (int64_t i = 0; (parts & MARGINALS) && i < B * T * dd; i++)
        F += w->S[i] * S[i];
    for (int64_t i = 0; (parts & MARGINALS) && i < B * (T - 1) * dd; i++)
        F += w->O[i] * O[i];
    for (int64_t i = 0; (parts & FACTOR) && i < B * T * dd; i++)
        F += w->L[i] * L[i];
    for (int64_t i = 0; (parts & FACTOR) && i < B * (T - 1) * dd; i++)
        F += w->M[i] * M[i];
    if (Dbar) {
        void *work = make((int64_t)vdi_blocktri_adjoint_worksize(&b->desc), 1);
        memset(Dbar, 0, (size_t)(B * T * dd) * 8);
        memset(Ebar, 0, (size_t)(B * T * dd) * 8);
        memset(hbar, 0, (size_t)(nrhs * N) * 8);
        memset(epsbar, 0, (size_t)(nrhs * N) * 8);
        if (parts & LOGDET) vdi_blocktri_logdet_adjoint(&b->bt, w->ld, work, Dbar, Ebar);
        if (parts & SOLVE)
            vdi_blocktri_solve_adjoint(&b->bt, nrhs, x, w->x, work, hbar, Dbar, Ebar);
        if (parts & SAMPLE)
            vdi_blocktri_sample_adjoint(&b->bt, nrhs, z, w->z, work, epsbar, Dbar, Ebar);
        if (parts & MARGINALS)
            vdi_blocktri_marginals_adjoint(&b->bt, S, O, w->S, w->O, work, Dbar, Ebar);
        if (parts & FACTOR) vdi_blocktri_factor_adjoint(&b->bt, w->L, w->M, work, Dbar, Ebar);
        free(work);
    }
    free(ld);
    free(x);
    free(z);
    free(S);
    free(O);
    free(L);
    free(M);
    return F;
}

static double *noise(seed_t *s, int64_t n) {
    double *p = (double *)make(n, 8);
    for (int64_t i = 0; i < n; i++)
        p[i] = test_normal(s);
    return p;
}

/* dF along a random direction: <gradient, direction> against five-point differences. */
static void adjoint_check(int64_t B, int64_t T, int64_t d, int ragged, int parts, int64_t nrhs) {
    const int64_t dd = d * d, N = B * T * d;
    batch b;
    batch_make(&b, VDI_F64, B, T, d, ragged, 0.8, NULL);
    seed_t s = (seed_t)(1234567 + B + 100 * T + 10000 * d);
    weights w;
    w.ld = noise(&s, B);
    w.x = noise(&s, nrhs * N);
    w.z = noise(&s, nrhs * N);
    w.S = noise(&s, N * d);
    w.O = noise(&s, N * d);
    w.L = noise(&s, N * d);
    w.M = noise(&s, N * d);
    double *dD = noise(&s, N * d);
    double *dE = noise(&s, N * d);
    double *h = noise(&s, nrhs * N);
    double *eps = noise(&s, nrhs * N);
    double *dh = noise(&s, nrhs * N);
    double *de = noise(&s, nrhs * N);
    double *Dbar = noise(&s, N * d);
    double *Ebar = noise(&s, N * d);
    double *hbar = noise(&s, nrhs * N);
    double *ebar = noise(&s, nrhs * N);
    double *D0 = (double *)make(N * d, 8);
    double *E0 = (double *)make(N * d, 8);
    double *h1 = (double *)make(nrhs * N, 8);
    double *e1 = (double *)make(nrhs * N, 8);
    for (int64_t t = 0; t < B * T; t++) { /* a symmetric direction; beyond a length the NaN stay */
        for (int64_t i = 0; i < d; i++) {
            for (int64_t j = 0; j < i; j++)
                dD[t * dd + j * d + i] = dD[t * dd + i * d + j];
        }
    }
    memcpy(D0, b.D, (size_t)(N * d) * 8);
    memcpy(E0, b.E, (size_t)(N * d) * 8);
    (void)functional(&b, parts, nrhs, &w, h, eps, hbar, ebar, Dbar, Ebar);
    double expected = 0, size = 0;
    for (int64_t i = 0; i < N * d; i++) {
        expected += Dbar[i] * dD[i];
        size += fabs(Dbar[i] * dD[i]);
    }
    for (int64_t i = 0; i < B * (T - 1) * dd; i++) {
        expected += Ebar[i] * dE[i];
        size += fabs(Ebar[i] * dE[i]);
    }
    for (int64_t i = 0; i < nrhs * N; i++) {
        expected += hbar[i] * dh[i] + ebar[i] * de[i];
        size += fabs(hbar[i] * dh[i]) + fabs(ebar[i] * de[i]);
    }
    for (int64_t t = 0; t < B * T; t++) {
        for (int64_t i = 0; i < d; i++) {
            for (int64_t j = 0; j < i; j++) {
                CHECK(fabs(Dbar[t * dd + i * d + j] - Dbar[t * dd + j * d + i]) <=
                          1e-12 * (1 + fabs(Dbar[t * dd + i * d + j])),
                      "Dbar is not symmetric");
            }
        }
    }
    const double step = 2e-4;
    const double at[4] = {-2, -1, 1, 2};
    const double coefficient[4] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    double slope = 0;
    for (int k = 0; k < 4; k++) {
        for (int64_t i = 0; i < N * d; i++)
            ((double *)b.D)[i] = D0[i] + at[k] * step * dD[i];
        for (int64_t i = 0; i < B * (T - 1) * dd; i++)
            ((double *)b.E)[i] = E0[i] + at[k] * step * dE[i];
        for (int64_t i = 0; i < nrhs * N; i++) {
            h1[i] = h[i] + at[k] * step * dh[i];
            e1[i] = eps[i] + at[k] * step * de[i];
        }
        slope +=
            coefficient[k] * functional(&b, parts, nrhs, &w, h1, e1, NULL, NULL, NULL, NULL) / step;
    }
    CHECK(fabs(slope - expected) <= 1e-9 * (1 + size),
          "parts %d, trials %d, T %d, d %d: adjoint %.12g, differences %.12g (size %g)", parts,
          (int)B, (int)T, (int)d, expected, slope, size);
    batch_free(&b);
    free(w.ld);
    free(w.x);
    free(w.z);
    free(w.S);
    free(w.O);
    free(w.L);
    free(w.M);
    free(dD);
    free(dE);
    free(h);
    free(eps);
    free(dh);
    free(de);
    free(Dbar);
    free(Ebar);
    free(hbar);
    free(ebar);
    free(D0);
    free(E0);
    free(h1);
    free(e1);
}

TEST(blocktri, adjoints_by_differences) {
    for (int part = LOGDET; part <= FACTOR; part *= 2) {
        adjoint_check(1, 1, 1, 0, part, 1);
        adjoint_check(1, 4, 2, 0, part, 2);
        adjoint_check(1, 3, 5, 0, part, 1);
        adjoint_check(1, 3, 19, 0, part, 2);
        adjoint_check(2, 5, 1, 0, part, 1);
        adjoint_check(3, 4, 3, 1, part, 2);
        adjoint_check(9, 5, 4, 1, part, 1);
        adjoint_check(17, 3, 6, 1, part, 3);
        adjoint_check(8, 4, 9, 0, part, 1);
    }
    adjoint_check(5, 7, 4, 1, ALL, 2);
}

/* What is linear must be so exactly: <xbar, J^{-1} v> = <hbar, v>, and the map from J to the blocks
 * of its inverse has a symmetric derivative. */
TEST(blocktri, adjoints_by_products) {
    for (int64_t B = 1; B <= 9; B += 4) {
        for (int64_t d = 1; d <= 7; d += 3) {
            const int64_t T = 6, dd = d * d, N = B * T * d;
            batch b;
            batch_make(&b, VDI_F64, B, T, d, 0, 1.0, NULL);
            seed_t s = (seed_t)(77 + d + B);
            double *v = noise(&s, N);
            double *xbar = noise(&s, N);
            double *x = noise(&s, N);
            double *hbar = (double *)make(N, 8);
            double *S = noise(&s, N * d);
            double *O = noise(&s, N * d);
            double *X = noise(&s, N * d);
            double *Xo = noise(&s, N * d);
            double *Y = noise(&s, N * d);
            double *Yo = noise(&s, N * d);
            double *XD = (double *)make(N * d, 8);
            double *XE = (double *)make(N * d, 8);
            double *YD = (double *)make(N * d, 8);
            double *YE = (double *)make(N * d, 8);
            void *work = make((int64_t)vdi_blocktri_adjoint_worksize(&b.desc), 1);
            double left = 0, right = 0, size = 0;
            vdi_error err;
            CHECK_OK(vdi_blocktri_factor(&b.bt, b.D, b.E, &err), err);
            vdi_blocktri_solve(&b.bt, 1, v, x);
            vdi_blocktri_solve_adjoint(&b.bt, 1, x, xbar, work, hbar, NULL, NULL);
            for (int64_t i = 0; i < N; i++) {
                left += xbar[i] * x[i];
                right += hbar[i] * v[i];
                size += fabs(hbar[i] * v[i]);
            }
            CHECK(fabs(left - right) <= 1e-13 * size, "solve: %.17g and %.17g", left, right);
            memset(hbar, 0, (size_t)N * 8);
            vdi_blocktri_sample(&b.bt, 1, v, x);
            vdi_blocktri_sample_adjoint(&b.bt, 1, x, xbar, work, hbar, NULL, NULL);
            left = right = size = 0;
            for (int64_t i = 0; i < N; i++) {
                left += xbar[i] * x[i];
                right += hbar[i] * v[i];
                size += fabs(hbar[i] * v[i]);
            }
            CHECK(fabs(left - right) <= 1e-13 * size, "sample: %.17g and %.17g", left, right);
            vdi_blocktri_marginals(&b.bt, S, O);
            vdi_blocktri_marginals_adjoint(&b.bt, S, O, X, Xo, work, XD, XE);
            vdi_blocktri_marginals_adjoint(&b.bt, S, O, Y, Yo, work, YD, YE);
            /* E and O count twice in the inner product of matrices; Xo is half of what stands in
             * each place */
            left = right = size = 0;
            for (int64_t i = 0; i < B * T * dd; i++) {
                left += XD[i] * Y[i];
                right += YD[i] * X[i];
                size += fabs(XD[i] * Y[i]);
            }
            for (int64_t i = 0; i < B * (T - 1) * dd; i++) {
                left += XE[i] * Yo[i] / 2;
                right += YE[i] * Xo[i] / 2;
                size += fabs(XE[i] * Yo[i]);
            }
            CHECK(fabs(left - right) <= 1e-12 * size, "marginals: %.17g and %.17g", left, right);
            batch_free(&b);
            free(v);
            free(xbar);
            free(x);
            free(hbar);
            free(S);
            free(O);
            free(X);
            free(Xo);
            free(Y);
            free(Yo);
            free(XD);
            free(XE);
            free(YD);
            free(YE);
            free(work);
        }
    }
}

/* ---- bits ------------------------------------------------------------------------------------ */

/* All outputs of one batch, one after the other. */
static double *everything(batch *b, int64_t *count) {
    const int64_t B = b->B;
    const int64_t T = b->T;
    const int64_t d = b->d;
    const int64_t N = B * T * d;
    double *out = (double *)make(B + 2 * N + 6 * N * d, 8);
    double *at = out;
    double *bars = (double *)make(2 * N * d + 2 * N, 8);
    void *work = make((int64_t)vdi_blocktri_adjoint_worksize(&b->desc), 1);
    vdi_error err;
    CHECK_OK(vdi_blocktri_factor(&b->bt, b->D, b->E, &err), err);
    vdi_blocktri_logdet(&b->bt, at);
    at += B;
    vdi_blocktri_solve(&b->bt, 1, b->h, at);
    vdi_blocktri_sample(&b->bt, 1, b->eps, at + N);
    double *z = at + N;
    at += 2 * N;
    vdi_blocktri_marginals(&b->bt, at, at + N * d);
    vdi_blocktri_get_factor(&b->bt, at + 2 * N * d, at + 3 * N * d);
    vdi_blocktri_sample_adjoint(&b->bt, 1, z, b->h, work, NULL, at + 4 * N * d, at + 5 * N * d);
    vdi_blocktri_marginals_adjoint(&b->bt, at, at + N * d, at, at + N * d, work, at + 4 * N * d,
                                   at + 5 * N * d);
    *count = B + 2 * N + 6 * N * d;
    free(bars);
    free(work);
    return out;
}

TEST(blocktri, same_bits) {
    for (int64_t d = 1; d <= 20; d += d < 5 ? 1 : 5) {
        for (int64_t B = 3; B <= 21; B += 9) {
            vdi_pool *pool = NULL;
            vdi_error err;
            batch one, many;
            int64_t n = 0;
            CHECK_OK(vdi_pool_create(3, NULL, &pool, &err), err);
            batch_make(&one, VDI_F64, B, 9, d, 1, 1.0, NULL);
            batch_make(&many, VDI_F64, B, 9, d, 1, 1.0, pool);
            double *a = everything(&one, &n), *c = everything(&many, &n);
            CHECK(memcmp(a, c, (size_t)n * 8) == 0, "threads show in the bits at d %d, trials %d",
                  (int)d, (int)B);
            /* the same trials in reverse: nobody may notice their neighbours or their lane */
            const int64_t D = 9 * d * d, E = 8 * d * d;
            for (int64_t i = 0; i < B; i++) {
                memcpy((double *)many.D + i * D, (double *)one.D + (B - 1 - i) * D, (size_t)D * 8);
                memcpy((double *)many.E + i * E, (double *)one.E + (B - 1 - i) * E, (size_t)E * 8);
                memcpy((double *)many.h + i * 9 * d, (double *)one.h + (B - 1 - i) * 9 * d,
                       (size_t)(9 * d) * 8);
                memcpy((double *)many.eps + i * 9 * d, (double *)one.eps + (B - 1 - i) * 9 * d,
                       (size_t)(9 * d) * 8);
                many.lengths[i] = one.lengths[B - 1 - i];
            }
            CHECK_OK(vdi_blocktri_init(&many.bt, &many.desc, many.mem,
                                       vdi_blocktri_memsize(&many.desc), &err),
                     err);
            double *r = everything(&many, &n);
            const int64_t N = B * 9 * d;
            const int64_t widths[8] = {1, 9 * d, 9 * d, D, E, D, E, D};
            const int64_t starts[8] = {0,
                                       B,
                                       B + N,
                                       B + 2 * N,
                                       B + 2 * N + N * d,
                                       B + 2 * N + 2 * N * d,
                                       B + 2 * N + 3 * N * d,
                                       B + 2 * N + 4 * N * d};
            for (int k = 0; k < 8; k++) {
                for (int64_t i = 0; i < B; i++) {
                    CHECK(memcmp(a + starts[k] + i * widths[k],
                                 r + starts[k] + (B - 1 - i) * widths[k],
                                 (size_t)widths[k] * 8) == 0,
                          "output %d of trial %d depends on the batch (d %d, trials %d)", k, (int)i,
                          (int)d, (int)B);
                }
            }
            free(a);
            free(c);
            free(r);
            batch_free(&one);
            batch_free(&many);
            vdi_pool_destroy(pool);
        }
    }
}

/* ---- trouble --------------------------------------------------------------------------------- */

TEST(blocktri, ill_conditioned) {
    for (int64_t B = 1; B <= 5; B += 4) {
        for (int64_t d = 2; d <= 9; d++) {
            batch b;
            batch_make(&b, VDI_F64, B, 6, d, 0, 1.0, NULL);
            for (int64_t t = 0; t < B * 6; t++) {
                /* J = C J0 C with C from 1 to 1e-6 within each block: condition about 1e12 and
                 * more */
                for (int64_t i = 0; i < d; i++) {
                    for (int64_t j = 0; j < d; j++) {
                        const double c = pow(10, -6.0 * (double)(i + j) / (double)(d - 1));
                        ((double *)b.D)[(t * d + i) * d + j] *= c;
                        if (t % 6 < 5) ((double *)b.E)[((t / 6 * 5 + t % 6) * d + i) * d + j] *= c;
                    }
                }
            }
            const int64_t n = 6 * d;
            for (int64_t i = 0; i < B * n; i++) {
                for (int64_t j = 0; j < n; j++)
                    b.J[i * n + j] *= pow(10, -6.0 * (double)(i % d + j % d) / (double)(d - 1));
            }
            CHECK(batch_check(&b) < 30, "d %d", (int)d);
            batch_free(&b);
        }
    }
}

TEST(blocktri, not_positive_definite) {
    for (int64_t B = 1; B <= 11; B += 5) {
        for (int64_t d = 1; d <= 18; d += d < 9 ? 1 : 9) {
            for (int kind = 0; kind < 4; kind++) {
                const int64_t T = 7;
                const int64_t trial = B / 2;
                const int64_t block = 4;
                const int64_t pivot = d - 1;
                const int64_t N = B * T * d;
                batch b;
                vdi_error err;
                char expected[80];
                batch_make(&b, VDI_F64, B, T, d, 0, 1.0, NULL);
                double *bad = (double *)b.D + ((trial * T + block) * d + pivot) * d + pivot;
                double kept = *bad;
                double *x = (double *)make(N, 8), *y = (double *)make(N, 8);
                CHECK_OK(vdi_blocktri_factor(&b.bt, b.D, b.E, &err), err);
                vdi_blocktri_solve(&b.bt, 1, b.h, x);
                *bad = kind == 0 ? -100 : kind == 1 ? (double)NAN : kind == 2 ? HUGE_VAL : 0;
                memset(&err, 0, sizeof err);
                CHECK_FAILS(vdi_blocktri_factor(&b.bt, b.D, b.E, &err),
                            VDI_ERR_NOT_POSITIVE_DEFINITE);
                snprintf(expected, sizeof expected, "trial %d, block %d (of 0..%d): pivot %d is ",
                         (int)trial, (int)block, (int)T - 1, (int)pivot);
                CHECK(strncmp(err.message, expected, strlen(expected)) == 0,
                      "said '%s', not '%s...'", err.message, expected);
                CHECK(err.status == VDI_ERR_NOT_POSITIVE_DEFINITE &&
                          !strcmp(err.where, "vdi_blocktri_factor"),
                      "where is '%s'", err.where);
                vdi_blocktri_solve(&b.bt, 1, b.h, y);
                CHECK(y[0] != y[0] && y[N - 1] != y[N - 1],
                      "without a factor the answer is not NaN");
                *bad = kept; /* and the object is as good as before */
                CHECK_OK(vdi_blocktri_factor(&b.bt, b.D, b.E, &err), err);
                vdi_blocktri_solve(&b.bt, 1, b.h, y);
                CHECK(memcmp(x, y, (size_t)N * 8) == 0, "another factor after the failure");
                free(x);
                free(y);
                batch_free(&b);
            }
        }
    }
}

TEST(blocktri, bad_descriptions) {
    vdi_blocktri_desc desc = VDI__ZERO;
    vdi_blocktri bt;
    vdi_error err;
    static double mem[4096];
    int64_t lengths[2] = {3, 5};
    desc.dtype = VDI_F64;
    desc.trials = 2;
    desc.T = 4;
    desc.d = 2;
    const size_t size = vdi_blocktri_memsize(&desc);
    CHECK(size < sizeof mem, "needs %zu", size);
    CHECK_FAILS(vdi_blocktri_init(&bt, &desc, mem, size - 1, &err), VDI_ERR_MEMORY);
    CHECK(strstr(err.message, "are needed") != NULL, "said '%s'", err.message);
    CHECK_FAILS(vdi_blocktri_init(&bt, &desc, NULL, size, &err), VDI_ERR_MEMORY);
    CHECK_FAILS(vdi_blocktri_factor(&bt, mem, mem, &err), VDI_ERR_STATE);
    CHECK_OK(vdi_blocktri_init(&bt, &desc, (char *)mem + 1, size, &err), err); /* any alignment */
    CHECK_FAILS(vdi_blocktri_factor(&bt, NULL, mem, &err), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_blocktri_factor(&bt, mem, NULL, &err), VDI_ERR_ARGUMENT);
    desc.lengths = lengths;
    CHECK_FAILS(vdi_blocktri_init(&bt, &desc, mem, sizeof mem, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "lengths[1] is 5, expected 0 to T = 4") == 0, "said '%s'",
          err.message);
    desc.lengths = NULL;
    for (int k = 0; k < 8; k++) {
        vdi_blocktri_desc wrong = desc;
        if (k == 0) wrong.trials = 0;
        if (k == 1) wrong.T = 0;
        if (k == 2) wrong.d = 0;
        if (k == 3) wrong.d = -1;
        if (k == 4) wrong.T = INT64_MAX;
        if (k == 5) wrong.trials = INT64_MAX;
        if (k == 6) wrong.d = INT64_MAX;
        if (k == 7) wrong.dtype = VDI_I64;
        CHECK(vdi_blocktri_memsize(&wrong) == SIZE_MAX &&
                  vdi_blocktri_adjoint_worksize(&wrong) == SIZE_MAX,
              "case %d was measured", k);
        CHECK_FAILS(vdi_blocktri_init(&bt, &wrong, mem, sizeof mem, &err),
                    k == 7 ? VDI_ERR_DTYPE : VDI_ERR_ARGUMENT);
    }
}

/* ---- references ------------------------------------------------------------------------------ */

/* The doubles of a little-endian float64 .npy of version 1. */
static double *load_npy(const char *name, size_t *count) {
    char path[128];
    unsigned char head[10];
    double *data = NULL;
    snprintf(path, sizeof path, "data/lds/%s.npy", name);
    FILE *f = fopen(shared_path(path), "rb");
    *count = 0;
    if (f && fread(head, 1, 10, f) == 10) {
        const long start = 10 + head[8] + 256 * head[9];
        fseek(f, 0, SEEK_END);
        *count = (size_t)(ftell(f) - start) / 8;
        fseek(f, start, SEEK_SET);
        data = (double *)make((int64_t)*count, 8);
        *count = fread(data, 8, *count, f);
    }
    if (f) fclose(f);
    return data;
}

static void compare_reference(const char *set, const char *what, const double *got) {
    char name[32];
    size_t n;
    snprintf(name, sizeof name, "%s_%s", set, what);
    double *expected = load_npy(name, &n), worst = 0;
    CHECK(n > 0, "%s is empty", name);
    for (size_t i = 0; i < n; i++)
        worst = test_worst(worst, fabs(got[i] - expected[i]));
    CHECK(worst <= 1e-10, "%s is off by %g", name, worst);
    free(expected);
}

TEST(blocktri, references) {
    static const char *const names[] = {"bt1", "bt2", "bt3"};
    static const int64_t ds[] = {3, 8, 1}, Ts[] = {60, 40, 500};
    NEED_SHARED("data/lds/bt1_D.npy");
    for (int k = 0; k < 3; k++) {
        for (int64_t B = 1; B <= 9; B += 8) { /* alone, and nine times the same in lanes */
            const int64_t T = Ts[k];
            const int64_t d = ds[k];
            const int64_t D = T * d * d;
            const int64_t E = (T - 1) * d * d;
            const int64_t n = T * d;
            static const char *const inputs[] = {"D", "E", "h", "eps"};
            const int64_t sizes[] = {D, E, n, n};
            double *in[4], *x = (double *)make(B * n, 8), *z = (double *)make(B * n, 8), ld[9];
            double *S = (double *)make(B * D, 8);
            double *O = (double *)make(B * D, 8);
            double *L = (double *)make(B * D, 8);
            double *M = (double *)make(B * D, 8);
            vdi_blocktri_desc desc = VDI__ZERO;
            vdi_blocktri bt;
            vdi_error err;
            for (int i = 0; i < 4; i++) {
                char name[32];
                size_t count;
                snprintf(name, sizeof name, "%s_%s", names[k], inputs[i]);
                double *one = load_npy(name, &count);
                CHECK((int64_t)count == sizes[i], "%s holds %zu", name, count);
                in[i] = (double *)make(B * sizes[i], 8);
                for (int64_t b = 0; b < B; b++)
                    memcpy(in[i] + b * sizes[i], one, (size_t)sizes[i] * 8);
                free(one);
            }
            desc.dtype = VDI_F64;
            desc.trials = B;
            desc.T = T;
            desc.d = d;
            const size_t size = vdi_blocktri_memsize(&desc);
            void *mem = make((int64_t)size, 1);
            CHECK_OK(vdi_blocktri_init(&bt, &desc, mem, size, &err), err);
            CHECK_OK(vdi_blocktri_factor(&bt, in[0], in[1], &err), err);
            vdi_blocktri_get_factor(&bt, L, M);
            vdi_blocktri_logdet(&bt, ld);
            vdi_blocktri_solve(&bt, 1, in[2], x);
            vdi_blocktri_sample(&bt, 1, in[3], z);
            vdi_blocktri_marginals(&bt, S, O);
            for (int64_t b = 0; b < B; b += 8) {
                compare_reference(names[k], "L", L + b * D);
                compare_reference(names[k], "M", M + b * E);
                compare_reference(names[k], "S", S + b * D);
                compare_reference(names[k], "O", O + b * E);
                compare_reference(names[k], "solve", x + b * n);
                compare_reference(names[k], "sample", z + b * n);
                compare_reference(names[k], "logdet", ld + b);
            }
            for (int i = 0; i < 4; i++)
                free(in[i]);
            free(x);
            free(z);
            free(S);
            free(O);
            free(L);
            free(M);
            free(mem);
        }
    }
}
