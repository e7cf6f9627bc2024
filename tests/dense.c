/* linalg/dense: residuals as LAPACK's tests count them, on every path and in both types
 *
 * A ratio is a residual over n eps and the norm of what it should be: below 30 is right, and a
 * wrong algorithm gives millions.
 */
#include "check.h"

enum { MOST = 100, LIMIT = 30 };
static const vdi_simd paths[] = {VDI_SIMD_SCALAR, VDI_SIMD_SSE2, VDI_SIMD_AVX2,
                                 VDI_SIMD_AVX512, VDI_SIMD_NEON, VDI_SIMD_WASM};

static double load(vdi_dtype t, const void *p, size_t i) {
    return vdi_dtype_load(t, p, (int64_t)i);
}
static void store(vdi_dtype t, void *p, size_t i, double x) {
    vdi_dtype_store(t, p, (int64_t)i, x);
}
static double eps_of(vdi_dtype t) { return t == VDI_F64 ? DBL_EPSILON : (double)FLT_EPSILON; }
/* sizes 1 ... 33 and 100 */
static size_t next_size(size_t n) { return n < 33 ? n + 1 : n == 33 ? MOST : MOST + 1; }

/* c (m,n) = a (m,k) b (k,n), the strides saying how each is walked, in double */
static void multiply(size_t m, size_t n, size_t k, const double *a, size_t ai, size_t ap,
                     const double *b, size_t bp, size_t bj, double *c) {
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t p = 0; p < k; p++)
                sum += a[i * ai + p * ap] * b[p * bp + j * bj];
            c[i * n + j] = sum;
        }
    }
}
static double norm(size_t n, const double *a) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * a[i];
    return sqrt(sum);
}
static double distance(size_t n, const double *a, const double *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}
/* How far the rows (r,c), walked with strides, are from orthonormal. */
static double skewness(size_t r, size_t c, const double *a, size_t ai, size_t ak) {
    double sum = 0;
    for (size_t i = 0; i < r; i++) {
        for (size_t j = 0; j < r; j++) {
            double dot = i == j ? -1 : 0;
            for (size_t k = 0; k < c; k++)
                dot += a[i * ai + k * ak] * a[j * ai + k * ak];
            sum += dot * dot;
        }
    }
    return sqrt(sum);
}
static void load_all(vdi_dtype t, size_t m, size_t n, const void *a, size_t lda, double *out) {
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++)
            out[i * n + j] = load(t, a, i * lda + j);
    }
}

static double A[MOST * MOST], B[MOST * MOST], C[MOST * MOST], D[MOST * MOST];
static double a_[MOST * (MOST + 3)], b_[MOST * (MOST + 3)], u_[MOST * MOST], v_[MOST * MOST],
    w_[MOST], work_[MOST * MOST];

/* Symmetric matrices (n,n) as the dtype holds them: 0 well conditioned, 1 like Hilbert's with a
   small ridge, 2 graded, 3 indefinite, 4 of rank one third, 5 diagonal with repeats. */
static void make_symmetric(vdi_dtype t, int kind, size_t n, unsigned long long *state, double *a) {
    static double g[MOST * MOST];
    size_t rank = kind == 4 ? (n + 2) / 3 : n;
    for (size_t i = 0; i < n * rank; i++)
        g[i] = test_normal(state);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double x = 0;
            if (kind == 1) {
                x = 1.0 / (double)(i + j + 1) + (i == j ? 50 * (double)n * eps_of(t) : 0);
            } else if (kind == 3) {
                x = test_normal(state);
            } else if (kind == 5) {
                x = i == j ? (double)(i % 3) - 1 : 0;
            } else {
                for (size_t k = 0; k < rank; k++)
                    x += g[i * rank + k] * g[j * rank + k] / (double)n;
            }
            if (kind == 0 && i == j) x += 0.5;
            if (kind == 2) x = (x + (i == j ? 1 : 0)) * pow(10, -(double)(i + j) * 4 / (double)n);
            a[i * n + j] = a[j * n + i] = t == VDI_F64 ? x : (double)(float)x;
        }
    }
}

/* What the checks of one matrix share; the matrix itself is A, its norm `size`. */
typedef struct factor_case {
    vdi_dtype t;
    int kind;
    size_t n, lda;
    double size, scale; /* norm of A; n eps */
    const char *path;
} factor_case;

/* The Cholesky factor, which stays in a_ and B. */
static void check_cholesky(const factor_case *f) {
    const size_t n = f->n;
    vdi_error err = VDI__ZERO;
    CHECK_OK(vdi_cholesky(f->t, n, a_, f->lda, &err), err);
    load_all(f->t, n, n, a_, f->lda, B);
    multiply(n, n, n, B, n, 1, B, 1, n, C);
    const double ratio = distance(n * n, A, C) / (f->size * f->scale);
    CHECK(ratio < LIMIT, "%s %s cholesky n %zu kind %d: ratio %.3g", f->path, vdi_dtype_name(f->t),
          n, f->kind, ratio);
    int above = 0, beside = 0;
    double logdet = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++)
            above += B[i * n + j] != 0;
        for (size_t j = n; j < f->lda; j++)
            beside += load(f->t, a_, i * f->lda + j) != 7;
        logdet += 2 * log(B[i * n + i]);
    }
    CHECK(above == 0 && beside == 0, "%s n %zu: %d above, %d beside", f->path, n, above, beside);
    CHECK_CLOSE(vdi_cholesky_logdet(f->t, n, a_, f->lda), logdet, 1e-9 * (1 + fabs(logdet)));
}

/* One triangular solve with m columns, or rows, by the factor in a_ and B. */
static void check_trsm(const factor_case *f, size_t m, int flags, unsigned long long *state) {
    const vdi_dtype t = f->t;
    const size_t n = f->n;
    const bool right = flags & VDI_TRSM_RIGHT, transposed = flags & VDI_TRSM_TRANS;
    const size_t rows = right ? m : n, cols = right ? n : m, ldb = cols + 2;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < ldb; j++) {
            const double x = test_normal(state);
            if (j < cols) C[i * cols + j] = t == VDI_F64 ? x : (double)(float)x;
            store(t, b_, i * ldb + j, j < cols ? C[i * cols + j] : 7);
        }
    }
    vdi_trsm(t, flags, n, m, a_, f->lda, b_, ldb);
    load_all(t, rows, cols, b_, ldb, v_);
    const size_t along = transposed ? 1 : n, across = transposed ? n : 1;
    if (right)
        multiply(m, n, n, v_, n, 1, B, along, across, D);
    else
        multiply(n, m, n, B, along, across, v_, m, 1, D);
    const double ratio =
        distance(rows * cols, C, D) / (norm(n * n, B) * norm(rows * cols, v_) * f->scale);
    int beside = 0;
    for (size_t i = 0; i < rows; i++)
        beside += load(t, b_, i * ldb + cols) != 7 || load(t, b_, i * ldb + cols + 1) != 7;
    CHECK(ratio < LIMIT && beside == 0, "%s %s trsm %d n %zu m %zu kind %d: ratio %.3g, %d beside",
          f->path, vdi_dtype_name(t), flags, n, m, f->kind, ratio, beside);
}

static void check_solve(const factor_case *f) {
    const size_t n = f->n;
    for (size_t i = 0; i < n * 2; i++) {
        C[i] = f->t == VDI_F64 ? 1.0 + (double)i : (double)(float)(1.0 + (double)i);
        store(f->t, b_, i, C[i]);
    }
    vdi_cholesky_solve(f->t, n, 2, a_, f->lda, b_, 2);
    load_all(f->t, n, 2, b_, 2, v_);
    multiply(n, 2, n, A, n, 1, v_, 2, 1, D);
    const double ratio = distance(n * 2, C, D) / (f->size * norm(n * 2, v_) * f->scale);
    CHECK(ratio < LIMIT, "%s %s solve n %zu kind %d: ratio %.3g", f->path, vdi_dtype_name(f->t), n,
          f->kind, ratio);
}

static void check_inverse(const factor_case *f) {
    const size_t n = f->n;
    vdi_cholesky_inverse(f->t, n, a_, f->lda, b_, n);
    load_all(f->t, n, n, b_, n, v_);
    multiply(n, n, n, A, n, 1, v_, n, 1, D);
    for (size_t i = 0; i < n; i++)
        D[i * n + i] -= 1;
    const double ratio = norm(n * n, D) / (f->size * norm(n * n, v_) * f->scale);
    int lopsided = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            lopsided += v_[i * n + j] != v_[j * n + i];
    }
    CHECK(ratio < LIMIT && lopsided == 0, "%s %s inverse n %zu kind %d: ratio %.3g, %d lopsided",
          f->path, vdi_dtype_name(f->t), n, f->kind, ratio, lopsided);
}

static void check_ldl(const factor_case *f) {
    const vdi_dtype t = f->t;
    const size_t n = f->n;
    vdi_error err = VDI__ZERO;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            store(t, a_, i * f->lda + j, j <= i ? A[i * n + j] : NAN);
    }
    CHECK_OK(vdi_ldl(t, n, a_, f->lda, w_, &err), err);
    load_all(t, n, n, a_, f->lda, B);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            D[i * n + j] = B[i * n + j] * load(t, w_, j);
    }
    multiply(n, n, n, D, n, 1, B, 1, n, C);
    const double ratio = distance(n * n, A, C) / (f->size * f->scale);
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++)
            wrong += B[i * n + j] != (i == j);
    }
    CHECK(ratio < LIMIT && wrong == 0, "%s %s ldl n %zu kind %d: ratio %.3g, %d not 1 or 0",
          f->path, vdi_dtype_name(t), n, f->kind, ratio, wrong);
}

static void check_factors(vdi_dtype t, int kind, size_t n, const char *path,
                          unsigned long long *state) {
    const size_t lda = n + 3;
    make_symmetric(t, kind, n, state, A);
    factor_case f = {t, kind, n, lda, norm(n * n, A), (double)n * eps_of(t), path};
    /* only the lower triangle is read, nothing beside the matrix is touched */
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < lda; j++)
            store(t, a_, i * lda + j, j <= i ? A[i * n + j] : j < n ? NAN : 7);
    }
    if (kind != 3 && kind != 5) {
        check_cholesky(&f);
        /* all triangular solves, with as many columns as make whole and cut tiles */
        for (size_t m = 1; m <= 35; m = m < 9 ? m + 1 : m + 13) {
            for (int flags = 0; flags < 4; flags++)
                check_trsm(&f, m, flags, state);
        }
        check_solve(&f);
        check_inverse(&f);
    }
    /* LDL' of the same, or of a quasi-definite matrix: first half positive, second half negative */
    if (kind == 3) {
        make_symmetric(t, 0, n, state, A);
        for (size_t i = n / 2; i < n; i++) {
            for (size_t j = n / 2; j < n; j++)
                A[i * n + j] = -A[i * n + j];
        }
        f.size = norm(n * n, A);
    }
    if (kind != 5) check_ldl(&f);
}

TEST(dense, factors_and_solves) {
    for (size_t p = 0; p < VDI__COUNT(paths); p++) {
        if (vdi_simd_set(paths[p]) != VDI_OK) continue;
        unsigned long long state = 20241;
        for (int type = 0; type < 2; type++) {
            for (size_t n = 1; n <= MOST; n = next_size(n)) {
                for (int kind = 0; kind < 4; kind++) {
                    check_factors(type ? VDI_F64 : VDI_F32, kind, n, vdi_simd_name(paths[p]),
                                  &state);
                }
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}

TEST(dense, eigenvalues) {
    for (size_t p = 0; p < VDI__COUNT(paths); p++) {
        if (vdi_simd_set(paths[p]) != VDI_OK) continue;
        unsigned long long state = 7;
        for (int type = 0; type < 2; type++) {
            for (size_t n = 1; n <= MOST; n = next_size(n)) {
                for (int kind = 0; kind < 6; kind++) {
                    vdi_dtype t = type ? VDI_F64 : VDI_F32;
                    vdi_error err = VDI__ZERO;
                    const double scale = (double)n * eps_of(t);
                    if (n == MOST && kind % 2) continue;
                    make_symmetric(t, kind, n, &state, A);
                    for (size_t i = 0; i < n; i++) {
                        for (size_t j = 0; j < n + 1; j++)
                            store(t, a_, i * (n + 1) + j, j <= i ? A[i * n + j] : NAN);
                    }
                    CHECK_OK(vdi_eigh(t, n, a_, n + 1, w_, v_, work_, &err), err);
                    load_all(t, n, n, v_, n, B);
                    int wrong = 0;
                    for (size_t j = 0; j < n; j++) {
                        double largest = 0;
                        for (size_t i = 0; i < n; i++) {
                            D[i * n + j] = B[i * n + j] * load(t, w_, j);
                            if (fabs(B[i * n + j]) > fabs(largest)) largest = B[i * n + j];
                        }
                        wrong += !(largest > 0) || (j > 0 && load(t, w_, j) < load(t, w_, j - 1));
                    }
                    multiply(n, n, n, D, n, 1, B, 1, n, C);
                    double ratio = distance(n * n, A, C) / (norm(n * n, A) * scale + 1e-300);
                    double skew = skewness(n, n, B, 1, n) / scale;
                    CHECK(
                        ratio < LIMIT && skew < LIMIT && wrong == 0,
                        "%s %s eigh n %zu kind %d: ratio %.3g, orthogonality %.3g, %d out of order",
                        vdi_simd_name(paths[p]), vdi_dtype_name(t), n, kind, ratio, skew, wrong);
                }
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
    /* known values: 2 - 2 cos(k pi / (n+1)); and a matrix near the largest double */
    vdi_error err = VDI__ZERO;
    double tri[144] = {0}, w[12], v[144], work[144];
    for (int i = 0; i < 12; i++) {
        tri[i * 12 + i] = 2;
        tri[i * 12 + (i ? i - 1 : 0)] = i ? -1 : 2;
    }
    CHECK_OK(vdi_eigh(VDI_F64, 12, tri, 12, w, v, work, &err), err);
    for (int k = 0; k < 12; k++)
        CHECK_CLOSE(w[k], 2 - 2 * cos((k + 1) * VDI_PI / 13), 1e-14);
    double big[4] = {1e308, 0, 5e307, 1e308}, tiny[4] = {1e-310, 0, 5e-311, 1e-310};
    CHECK_OK(vdi_eigh(VDI_F64, 2, big, 2, w, v, work, &err), err);
    CHECK_CLOSE(w[0] / 1e308, 0.5, 1e-14);
    CHECK_CLOSE(w[1] / 1e308, 1.5, 1e-14);
    CHECK_OK(vdi_eigh(VDI_F64, 2, tiny, 2, w, v, work, &err), err);
    CHECK_CLOSE(w[1] / 1e-310, 1.5, 1e-12);
    /* a graded matrix keeps its small eigenvalues */
    double graded[9] = {1, 0, 0, 1e-9, 1e-16, 0, 1e-18, 1e-26, 1e-34};
    CHECK_OK(vdi_eigh(VDI_F64, 3, graded, 3, w, v, work, &err), err);
    CHECK(w[0] > 0.9e-34 && w[0] < 1.1e-34, "the smallest eigenvalue is %g", w[0]);
}

static void check_svd(vdi_dtype t, size_t m, size_t n, int kind, const char *path,
                      unsigned long long *state) {
    const size_t r = VDI__MIN(m, n), lda = n + 2, rank = kind == 1 ? r / 2 : kind == 2 ? 0 : r;
    const double scale = (double)VDI__MAX(m, n) * eps_of(t);
    vdi_error err = VDI__ZERO;
    for (size_t i = 0; i < m * r; i++)
        B[i] = test_normal(state);
    for (size_t i = 0; i < r * n; i++)
        C[i] = test_normal(state) * (kind == 3 ? pow(10, -(double)(i / n)) : 1);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double x = 0;
            for (size_t k = 0; k < rank; k++)
                x += B[i * r + k] * C[k * n + j];
            if (kind == 4) x = i % 2 ? 0 : x; /* whole rows, and with them some values, are zero */
            A[i * n + j] = t == VDI_F64 ? x : (double)(float)x;
            store(t, a_, i * lda + j, A[i * n + j]);
        }
    }
    CHECK(vdi_svd_work(m, n) <= VDI__COUNT(work_), "work");
    CHECK_OK(vdi_svd(t, m, n, a_, lda, u_, w_, v_, work_, &err), err);
    load_all(t, m, r, u_, r, B);
    load_all(t, r, n, v_, n, C);
    int wrong = 0;
    for (size_t j = 0; j < r; j++) {
        wrong += !(load(t, w_, j) >= 0) || (j > 0 && load(t, w_, j) > load(t, w_, j - 1));
        if (kind == 1 && j >= rank) wrong += load(t, w_, j) > 10 * scale * load(t, w_, 0);
        for (size_t k = 0; k < n; k++)
            D[j * n + k] = C[j * n + k] * load(t, w_, j);
    }
    static double product[MOST * MOST];
    multiply(m, n, r, B, r, 1, D, n, 1, product);
    double ratio = distance(m * n, A, product) / (norm(m * n, A) * scale + 1e-300);
    double left = skewness(r, m, B, 1, r) / scale, right = skewness(r, n, C, n, 1) / scale;
    CHECK(ratio < LIMIT && left < LIMIT && right < LIMIT && wrong == 0,
          "%s %s svd (%zu,%zu) kind %d: ratio %.3g, orthogonality %.3g %.3g, %d wrong", path,
          vdi_dtype_name(t), m, n, kind, ratio, left, right, wrong);
}

TEST(dense, singular_values) {
    static const size_t sizes[][2] = {{1, 1},  {1, 5},   {5, 1},   {2, 2},    {3, 2},   {2, 3},
                                      {4, 4},  {7, 5},   {5, 8},   {9, 9},    {16, 16}, {17, 3},
                                      {3, 33}, {31, 33}, {33, 31}, {100, 12}, {12, 100}};
    for (size_t p = 0; p < VDI__COUNT(paths); p++) {
        if (vdi_simd_set(paths[p]) != VDI_OK) continue;
        unsigned long long state = 99;
        for (int type = 0; type < 2; type++) {
            for (size_t k = 0; k < VDI__COUNT(sizes); k++) {
                for (int kind = 0; kind < 5; kind++) {
                    check_svd(type ? VDI_F64 : VDI_F32, sizes[k][0], sizes[k][1], kind,
                              vdi_simd_name(paths[p]), &state);
                }
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
    /* values 1 ... 1e-12 of a Hilbert matrix's kind, to relative accuracy: a diagonal times an
     * orthogonal matrix */
    vdi_error err = VDI__ZERO;
    double a[9] = {0.6, 0.8e-7, 0, -0.8, 0.6e-7, 0, 0, 0, 1e-14}, u[9], s[3], vt[9], work[9];
    CHECK_OK(vdi_svd(VDI_F64, 3, 3, a, 3, u, s, vt, work, &err), err);
    CHECK_CLOSE(s[0], 1, 1e-15);
    CHECK_CLOSE(s[1] / 1e-7, 1, 1e-8);
    CHECK_CLOSE(s[2] / 1e-14, 1, 1e-14);
}

TEST(dense, bad_input) {
    for (int type = 0; type < 2; type++) {
        vdi_dtype t = type ? VDI_F64 : VDI_F32;
        for (size_t n = 1; n <= 19; n++) {
            for (size_t k = 0; k < n; k++) {
                vdi_error err = VDI__ZERO;
                char wanted[32];
                snprintf(wanted, sizeof wanted, "pivot %zu of %zu", k, n);
                static const double pivots[] = {0, -2, NAN, HUGE_VAL};
                for (int bad = 0; bad < 4; bad++) {
                    for (int ldl = 0; ldl < 2; ldl++) {
                        for (size_t i = 0; i < n * n; i++)
                            store(t, a_, i, i % (n + 1) == 0);
                        store(t, a_, k * n + k, pivots[bad]);
                        vdi_status s =
                            ldl ? vdi_ldl(t, n, a_, n, w_, &err) : vdi_cholesky(t, n, a_, n, &err);
                        vdi_status expected = !ldl       ? VDI_ERR_NOT_POSITIVE_DEFINITE
                                              : bad == 1 ? VDI_OK
                                                         : VDI_ERR_NUMERIC;
                        CHECK(s == expected, "n %zu, %g at %zu: %s", n, pivots[bad], k,
                              vdi_status_name(s));
                        CHECK(s == VDI_OK || strstr(err.message, wanted), "%s", err.message);
                    }
                    if (bad < 2) continue;
                    /* NaN and infinity anywhere in what is read */
                    for (size_t i = 0; i < n * n; i++)
                        store(t, a_, i, i % (n + 1) == 0);
                    store(t, a_, (n - 1) * n + k, pivots[bad]);
                    w_[0] = 5;
                    CHECK_FAILS(vdi_eigh(t, n, a_, n, w_, v_, work_, &err), VDI_ERR_NUMERIC);
                    CHECK(w_[0] == 5 && strstr(err.message, "NaN"), "%s", err.message);
                    CHECK_FAILS(vdi_svd(t, n, n, a_, n, u_, w_, v_, work_, &err), VDI_ERR_NUMERIC);
                    if (k + 1 < n)
                        CHECK_FAILS(vdi_cholesky(t, n, a_, n, NULL), VDI_ERR_NOT_POSITIVE_DEFINITE);
                }
            }
        }
        CHECK_OK(vdi_cholesky(t, 0, a_, 1, NULL), (vdi_error){0});
        CHECK_OK(vdi_eigh(t, 0, a_, 1, w_, v_, work_, NULL), (vdi_error){0});
        CHECK_OK(vdi_svd(t, 0, 3, a_, 3, u_, w_, v_, work_, NULL), (vdi_error){0});
        vdi_trsm(t, 0, 0, 3, a_, 1, b_, 3);
        vdi_trsm(t, 0, 3, 0, a_, 3, b_, 3);
    }
}

TEST(dense, columns_do_not_matter) {
    /* a right-hand side has the same solution whichever others are solved with it */
    static double l[23 * 23], one[23], all[23 * 70], right[70 * 23];
    unsigned long long state = 5;
    for (size_t p = 0; p < VDI__COUNT(paths); p++) {
        if (vdi_simd_set(paths[p]) != VDI_OK) continue;
        for (int i = 0; i < 23; i++) {
            for (int j = 0; j < 23; j++)
                l[i * 23 + j] = i == j ? 2 : test_normal(&state) / 10;
        }
        for (int flags = 0; flags < 2; flags++) {
            for (int i = 0; i < 23 * 70; i++)
                all[i] = test_normal(&state);
            for (int k = 0; k < 70; k += 3) {
                static double copy[23 * 70];
                memcpy(copy, all, sizeof copy);
                for (int i = 0; i < 23; i++)
                    one[i] = all[i * 70 + k];
                for (int i = 0; i < 23 * 70; i++)
                    right[i % 70 * 23 + i / 70] = all[i];
                vdi_trsm(VDI_F64, flags, 23, 1, l, 23, one, 1);
                vdi_trsm(VDI_F64, flags, 23, 70, l, 23, copy, 70);
                vdi_trsm(VDI_F64, flags ^ VDI_TRSM_TRANS ^ VDI_TRSM_RIGHT, 23, 70, l, 23, right,
                         23);
                int wrong = 0;
                for (int i = 0; i < 23; i++)
                    wrong += (one[i] != copy[i * 70 + k]) + (one[i] != right[k * 23 + i]);
                CHECK(wrong == 0, "%s flags %d column %d: %d differ", vdi_simd_name(paths[p]),
                      flags, k, wrong);
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
    /* larger than the buffer that turns right-hand sides */
    enum { N = 4500 };
    static double big[3 * N], diagonal[1];
    (void)diagonal;
    double *m = (double *)malloc(sizeof(double) * N * N);
    if (!m) SKIP("needs 162 MB");
    memset(m, 0, sizeof(double) * N * N);
    for (int i = 0; i < N; i++) {
        m[(size_t)i * N + (size_t)i] = 2;
        if (i) m[(size_t)i * N + (size_t)i - 1] = 1;
        big[i] = 1;
        big[N + i] = 2;
        big[2 * N + i] = -1;
    }
    /* x_0 = 1/2, x_i = (1 - x_{i-1}) / 2 */
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, N, 3, m, N, big, N);
    double x = 0.5;
    for (int i = 0; i < N; i++, x = (1 - x) / 2) {
        CHECK(fabs(big[i] - x) + fabs(big[N + i] - 2 * x) + fabs(big[2 * N + i] + x) < 1e-14,
              "row %d", i);
    }
    free(m);
}
