/* linalg/dense.h - Cholesky, LDL', triangular solves, symmetric eigenvalues and SVD for small dense
 * matrices
 *
 * Do this:
 *     if (vdi_cholesky(VDI_F64, n, A, n, &err) < 0)
 *         ...          A = L L', lower triangle in place, upper one zeroed
 *     vdi_trsm(VDI_F64, VDI_TRSM_LOWER, n, rhs, A, n, X, rhs);   X = L^{-1} X
 *     vdi_eigh(VDI_F64, n, A, n, values, vectors, work, &err);   A = V diag(w) V'
 *
 * Row-major with leading dimension, which counts elements. dtype is VDI_F32 or VDI_F64. Meant for n
 * up to a few hundred: the factorisations and solves run in register tiles over the whole width,
 * the eigenvalues and SVD by Jacobi rotations, whose errors are those of LAPACK (residual ratios
 * below 30), but whose time is several times LAPACK's beyond n = 100.
 * What it does not do: pivoting, general (unsymmetric) systems, complex numbers, generalised
 * eigenvalues.
 * Memory: none is allocated; at most 32 KiB of stack. `work` is the caller's, and need not be
 * cleared.
 * Errors: NaN and infinity are detected and reported. Threads: all functions are pure.
 */
#ifndef VDI_LINALG_DENSE_H
#define VDI_LINALG_DENSE_H
#include "view.h"

/** A (n,n), lower triangle read: overwritten by L with A = L L', the upper triangle by 0.
 *  VDI_ERR_NOT_POSITIVE_DEFINITE names the pivot (a NaN or infinity in A ends so too); A is then
 *  partly overwritten. */
VDI_API VDI_NODISCARD vdi_status vdi_cholesky(vdi_dtype dtype, size_t n, void *a, size_t lda,
                                              vdi_error *err);
/** A = L D L' with unit lower L and diagonal D (n), no pivoting: for positive definite or
 * quasi-definite A.
 *  A's strict lower triangle becomes L, its diagonal 1, its upper triangle 0. VDI_ERR_NUMERIC on a
 *  zero or non-finite pivot. */
VDI_API VDI_NODISCARD vdi_status vdi_ldl(vdi_dtype dtype, size_t n, void *a, size_t lda, void *diag,
                                         vdi_error *err);

/** Flags of vdi_trsm. */
enum {
    VDI_TRSM_LOWER = 0, /**< op(L) X = B */
    VDI_TRSM_TRANS = 1, /**< with L' instead of L */
    VDI_TRSM_RIGHT = 2  /**< X op(L) = B */
};
/** Solve with the lower triangle L (n,n) in place: B is (n,m), or (m,n) with VDI_TRSM_RIGHT. The
 * diagonal of L must not be 0. */
VDI_API void vdi_trsm(vdi_dtype dtype, int flags, size_t n, size_t m, const void *l, size_t ldl,
                      void *b, size_t ldb);
/** Solve A X = B (n,m) in place, from A's Cholesky factor. */
VDI_API void vdi_cholesky_solve(vdi_dtype dtype, size_t n, size_t m, const void *l, size_t ldl,
                                void *b, size_t ldb);
/** log det A = 2 sum log L_ii, in nats. */
VDI_API double vdi_cholesky_logdet(vdi_dtype dtype, size_t n, const void *l, size_t ldl);
/** Inverse (n,n) of A from its Cholesky factor, both triangles; for reporting a covariance, not for
 * solving. `inv` may not be `l`. */
VDI_API void vdi_cholesky_inverse(vdi_dtype dtype, size_t n, const void *l, size_t ldl, void *inv,
                                  size_t ldi);

/** A = V diag(w) V' of a symmetric A (n,n), lower triangle read: w (n) rising, V (n,n) packed with
 * eigenvectors as columns, each with its largest entry positive. Jacobi, cyclic (Golub and Van
 * Loan, 8.5). `work` holds n*n elements. VDI_ERR_NUMERIC if A is not finite (nothing is written
 * then); VDI_NOT_CONVERGED, never seen, after 60 sweeps, with the results so far. */
VDI_API VDI_NODISCARD vdi_status vdi_eigh(vdi_dtype dtype, size_t n, const void *a, size_t lda,
                                          void *w, void *v, void *work, vdi_error *err);
/** A (m,n) = U diag(s) V': with r = min(m,n), U (m,r), s (r) falling, Vt (r,n), all packed; U and V
 * are orthogonal even where A has not full rank. One-sided Jacobi (de Rijk 1989): accurate for
 * small s, down to 10^-17 (F32) or 10^-145 (F64) of the largest, below which s is 0. `work` holds
 * vdi_svd_work(m,n) elements. VDI_ERR_NUMERIC if A is not finite; VDI_NOT_CONVERGED as in
 * vdi_eigh. */
VDI_API VDI_NODISCARD vdi_status vdi_svd(vdi_dtype dtype, size_t m, size_t n, const void *a,
                                         size_t lda, void *u, void *s, void *vt, void *work,
                                         vdi_error *err);
/** Elements of work for vdi_svd; SIZE_MAX if no size holds them. */
VDI_API size_t vdi_svd_work(size_t m, size_t n);

/* ---- private: the kernels -------------------------------------------------------------------- */

/* One step of a triangular solve: `rows` (1 to 4) unknowns x_i, `done` above them finished, for
 * `cols` columns. l: the triangle from the first unknown's row on. x: from row 0 on, columns 1
 * apart; out takes the result. Without `inv` (reciprocal diagonal) the rows do not take each
 * other. */
typedef struct vdi__solve {
    size_t rows, done, cols;
    vdi__matrix l, x;
    const void *inv;
    vdi__target out;
} vdi__solve;
typedef void vdi__solve_fn(const vdi__solve *s);

/* X(name, whose, result, (arguments)); see kernel/table.h */
#define VDI__LINALG_KERNELS_DENSE(X)                                                             \
    X(solve_step, OWN, void, (const vdi__solve *s))                                              \
    X(cholesky, LENT, size_t, (vdi__solve_fn * step, size_t n, void *a, size_t lda, void *diag)) \
    X(solve, LENT, void,                                                                         \
      (vdi__solve_fn * step, size_t n, size_t cols, size_t width, const vdi__matrix *l, void *x, \
       int64_t x_row))                                                                           \
    X(rotate, LENT, void, (size_t n, void *x, void *y, double c, double s))

#endif /* VDI_LINALG_DENSE_H */

#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_LINALG_DENSE_C)
#define VDI_LINALG_DENSE_C

VDI__FN double vdi__epsilon(vdi_dtype dtype) {
    return dtype == VDI_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
}

VDI__FN size_t vdi__cholesky(vdi_dtype dtype, size_t n, void *a, size_t lda, void *diag) {
    const vdi__linalg_kernels *k = vdi__linalg_of(dtype);
    return k->cholesky(k->solve_step, n, a, lda, diag);
}

VDI__DEF vdi_status vdi_cholesky(vdi_dtype dtype, size_t n, void *a, size_t lda, vdi_error *err) {
    size_t k = vdi__cholesky(dtype, n, a, lda, NULL);
    if (k == n) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_NOT_POSITIVE_DEFINITE, "vdi_cholesky",
                         "pivot %zu of %zu is %g: the matrix is not positive definite", k, n,
                         vdi__load(dtype, a, k * lda + k));
}

VDI__DEF vdi_status vdi_ldl(vdi_dtype dtype, size_t n, void *a, size_t lda, void *diag,
                            vdi_error *err) {
    size_t k = vdi__cholesky(dtype, n, a, lda, diag);
    if (k == n) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_ldl",
                         "pivot %zu of %zu is %g, expected a finite number other than 0", k, n,
                         vdi__load(dtype, a, k * lda + k));
}

/* Columns that are solved at a time: they stay in the first-level cache. */
#define VDI__SOLVE_BYTES 256

/* B <- L^{-1} B where the columns of B, n long, are not neighbours: some are copied at a time. */
VDI__FN void vdi__solve_scattered(vdi_dtype dtype, size_t n, size_t m, const vdi__matrix *l,
                                  const vdi__target *b) {
    const vdi__linalg_kernels *k = vdi__linalg_of(dtype);
    const size_t size = vdi_dtype_size(dtype);
    double buffer[3072];
    const size_t width = VDI__MIN(VDI__SOLVE_BYTES, sizeof buffer / n) / size;
    for (size_t j = 0, w; j < m; j += w) {
        char *at = (char *)b->data + (ptrdiff_t)(j * size) * b->column;
        w = VDI__MAX(VDI__MIN(width, m - j), 1);
        if (w == 1) {
            k->solve(k->solve_step, n, 1, 1, l, at, b->row);
            continue;
        }
        for (size_t c = 0; c < w; c++)
            vdi__copy_strided(size, n, at + (ptrdiff_t)(c * size) * b->column, b->row,
                              (char *)buffer + c * size, (int64_t)w);
        k->solve(k->solve_step, n, w, w, l, buffer, (int64_t)w);
        for (size_t c = 0; c < w; c++)
            vdi__copy_strided(size, n, (char *)buffer + c * size, (int64_t)w,
                              at + (ptrdiff_t)(c * size) * b->column, b->row);
    }
}

/* X L = B is L' X' = B', and L' read from its end is lower again. */
VDI__DEF void vdi_trsm(vdi_dtype dtype, int flags, size_t n, size_t m, const void *l, size_t ldl,
                       void *b, size_t ldb) {
    const vdi__linalg_kernels *k = vdi__linalg_of(dtype);
    const bool right = (flags & VDI_TRSM_RIGHT) != 0;
    const bool reverse = ((flags & VDI_TRSM_TRANS) != 0) != right;
    const size_t size = vdi_dtype_size(dtype);
    vdi__matrix lower = {l, (int64_t)ldl, 1};
    vdi__target to = {b, right ? 1 : (int64_t)ldb, right ? (int64_t)ldb : 1};
    if (n == 0 || m == 0) return;
    if (reverse) {
        lower.data = (const char *)l + (n - 1) * (ldl + 1) * size;
        lower.row = -1;
        lower.column = -(int64_t)ldl;
        to.data = (char *)b + (ptrdiff_t)((n - 1) * size) * to.row;
        to.row = -to.row;
    }
    if (to.column == 1)
        k->solve(k->solve_step, n, m, VDI__SOLVE_BYTES / size, &lower, to.data, to.row);
    else
        vdi__solve_scattered(dtype, n, m, &lower, &to);
}

VDI__DEF void vdi_cholesky_solve(vdi_dtype dtype, size_t n, size_t m, const void *l, size_t ldl,
                                 void *b, size_t ldb) {
    vdi_trsm(dtype, VDI_TRSM_LOWER, n, m, l, ldl, b, ldb);
    vdi_trsm(dtype, VDI_TRSM_TRANS, n, m, l, ldl, b, ldb);
}

VDI__DEF double vdi_cholesky_logdet(vdi_dtype dtype, size_t n, const void *l, size_t ldl) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += log(vdi__load(dtype, l, i * ldl + i));
    return 2 * sum;
}

VDI__DEF void vdi_cholesky_inverse(vdi_dtype dtype, size_t n, const void *l, size_t ldl, void *inv,
                                   size_t ldi) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            vdi__store(dtype, inv, i * ldi + j, i == j);
    }
    vdi_cholesky_solve(dtype, n, n, l, ldl, inv, ldi);
    for (size_t i = 0; i < n; i++) { /* symmetric to the last bit */
        for (size_t j = 0; j < i; j++) {
            double x =
                0.5 * (vdi__load(dtype, inv, i * ldi + j) + vdi__load(dtype, inv, j * ldi + i));
            vdi__store(dtype, inv, i * ldi + j, x);
            vdi__store(dtype, inv, j * ldi + i, x);
        }
    }
}

/* ---- Jacobi -------------------------------------------------------------------------------------
 * Both methods work on rows, where the lanes are, and on numbers scaled by a power of two so that
 * the largest lies in [1/2,1): then squares neither overflow nor vanish before they are negligible.
 */
#define VDI__SWEEPS 60

/* The exponent of the largest of the elements a[i * lda + j], j < (lower ? i + 1 : n); false if one
 * is not finite. */
VDI__FN bool vdi__scale_of(vdi_dtype dtype, bool lower, size_t m, size_t n, const void *a,
                           size_t lda, int *exponent) {
    double largest = 0;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < (lower ? i + 1 : n); j++) {
            double x = fabs(vdi__load(dtype, a, i * lda + j));
            if (!(x - x == 0)) return false;
            if (x > largest) largest = x;
        }
    }
    (void)frexp(largest, exponent);
    return true;
}

/* The smaller rotation that makes [a b; b d] diagonal: tan t = *t, and its cosine and sine
 * (Rutishauser 1966). */
VDI__FN void vdi__jacobi_angle(double a, double b, double d, double *t, double *c, double *s) {
    double theta = (d - a) / (2 * b);
    *t = (theta < 0 ? -1.0 : 1.0) / (fabs(theta) + sqrt(1 + theta * theta));
    *c = 1 / sqrt(1 + *t * *t);
    *s = *t * *c;
}

VDI__FN void vdi__swap_rows(vdi_dtype dtype, size_t n, void *a, size_t i, size_t j) {
    for (size_t k = 0; k < n; k++) {
        double x = vdi__load(dtype, a, i * n + k);
        vdi__store(dtype, a, i * n + k, vdi__load(dtype, a, j * n + k));
        vdi__store(dtype, a, j * n + k, x);
    }
}

VDI__FN void vdi__identity(vdi_dtype dtype, size_t n, void *a) {
    memset(a, 0, n * n * vdi_dtype_size(dtype));
    for (size_t i = 0; i < n; i++)
        vdi__store(dtype, a, i * n + i, 1);
}

/* In place, packed. */
VDI__FN void vdi__transpose_square(vdi_dtype dtype, size_t n, void *a) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            double x = vdi__load(dtype, a, i * n + j);
            vdi__store(dtype, a, i * n + j, vdi__load(dtype, a, j * n + i));
            vdi__store(dtype, a, j * n + i, x);
        }
    }
}

/* A <- R A R' for the symmetric, packed A (n,n) and a rotation R of rows p and q; the four elements
 * where they cross are the caller's. */
VDI__FN void vdi__rotate_both(vdi_dtype dtype, size_t n, void *a, size_t p, size_t q, double c,
                              double s) {
    const size_t size = vdi_dtype_size(dtype);
    char *x = (char *)a + p * n * size, *y = (char *)a + q * n * size;
    vdi__linalg_of(dtype)->rotate(n, x, y, c, s);
    vdi__copy_strided(size, n, x, 1, (char *)a + p * size, (int64_t)n);
    vdi__copy_strided(size, n, y, 1, (char *)a + q * size, (int64_t)n);
}

VDI__DEF vdi_status vdi_eigh(vdi_dtype dtype, size_t n, const void *a, size_t lda, void *w, void *v,
                             void *work, vdi_error *err) {
    const vdi__linalg_kernels *kernels = vdi__linalg_of(dtype);
    const double eps = 0.5 * vdi__epsilon(dtype), nothing = dtype == VDI_F64 ? 1e-290 : 1e-35;
    int exponent = 0, sweep = 0;
    bool moved = true;
    if (!vdi__scale_of(dtype, true, n, n, a, lda, &exponent)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_eigh",
                             "the matrix (%zu,%zu) holds NaN or infinity", n, n);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double x = ldexp(vdi__load(dtype, a, i * lda + j), -exponent);
            vdi__store(dtype, work, i * n + j, x);
            vdi__store(dtype, work, j * n + i, x);
        }
    }
    vdi__identity(dtype, n, v); /* holds V' until the end */
    for (; sweep < VDI__SWEEPS && moved; sweep++) {
        moved = false;
        for (size_t p = 0; p + 1 < n; p++) {
            for (size_t q = p + 1; q < n; q++) {
                double pp = vdi__load(dtype, work, p * n + p);
                double pq = vdi__load(dtype, work, p * n + q);
                double qq = vdi__load(dtype, work, q * n + q);
                double t, c, s;
                if (fabs(pq) <= eps * sqrt(fabs(pp * qq)) || fabs(pq) < nothing) continue;
                vdi__jacobi_angle(pp, pq, qq, &t, &c, &s);
                vdi__rotate_both(dtype, n, work, p, q, c, -s);
                kernels->rotate(n, vdi__element(dtype, v, p * n), vdi__element(dtype, v, q * n), c,
                                -s);
                vdi__store(dtype, work, p * n + p, pp - t * pq);
                vdi__store(dtype, work, q * n + q, qq + t * pq);
                vdi__store(dtype, work, p * n + q, 0);
                vdi__store(dtype, work, q * n + p, 0);
                moved = true;
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        vdi__store(dtype, w, i, ldexp(vdi__load(dtype, work, i * n + i), exponent));
    for (size_t i = 0; i < n; i++) {
        size_t least = i, largest = 0;
        for (size_t j = i + 1; j < n; j++)
            if (vdi__load(dtype, w, j) < vdi__load(dtype, w, least)) least = j;
        if (least != i) {
            double x = vdi__load(dtype, w, i);
            vdi__store(dtype, w, i, vdi__load(dtype, w, least));
            vdi__store(dtype, w, least, x);
            vdi__swap_rows(dtype, n, v, i, least);
        }
        for (size_t k = 1; k < n; k++) {
            if (fabs(vdi__load(dtype, v, i * n + k)) > fabs(vdi__load(dtype, v, i * n + largest)))
                largest = k;
        }
        if (vdi__load(dtype, v, i * n + largest) < 0) {
            for (size_t k = 0; k < n; k++)
                vdi__store(dtype, v, i * n + k, -vdi__load(dtype, v, i * n + k));
        }
    }
    vdi__transpose_square(dtype, n, v);
    return moved ? VDI_NOT_CONVERGED : VDI_OK;
}

/* A wide matrix is turned by rotations of its rows, a tall one of its columns: the longer rows G
   end orthogonal, with lengths s, and the rotations themselves are the other factor J (r,r). G
   stands where J does not: tall: G = A' in work, J in Vt. */
VDI__DEF size_t vdi_svd_work(size_t m, size_t n) { return vdi_mul_size(m, VDI__MIN(m, n)); }

/* Rows first ... r-1 of g (r,c), r <= c, become unit vectors orthogonal to all the others. */
VDI__FN void vdi__complete_rows(vdi_dtype dtype, size_t first, size_t r, size_t c, void *g) {
    for (size_t i = first; i < r; i++) {
        size_t best = 0;
        double most = -1;
        for (size_t k = 0; k < c; k++) { /* the axis that is least in the span so far */
            double rest = 1;
            for (size_t j = 0; j < i; j++)
                rest -= vdi__load(dtype, g, j * c + k) * vdi__load(dtype, g, j * c + k);
            if (rest > most) {
                most = rest;
                best = k;
            }
        }
        for (size_t k = 0; k < c; k++)
            vdi__store(dtype, g, i * c + k, k == best);
        for (int pass = 0; pass < 2; pass++) { /* twice is enough (Kahan) */
            double norm = 0;
            for (size_t j = 0; j < i; j++) {
                double dot = 0;
                for (size_t k = 0; k < c; k++)
                    dot += vdi__load(dtype, g, i * c + k) * vdi__load(dtype, g, j * c + k);
                for (size_t k = 0; k < c; k++) {
                    vdi__store(dtype, g, i * c + k,
                               vdi__load(dtype, g, i * c + k) -
                                   dot * vdi__load(dtype, g, j * c + k));
                }
            }
            for (size_t k = 0; k < c; k++)
                norm += vdi__load(dtype, g, i * c + k) * vdi__load(dtype, g, i * c + k);
            for (size_t k = 0; k < c; k++)
                vdi__store(dtype, g, i * c + k, vdi__load(dtype, g, i * c + k) / sqrt(norm));
        }
    }
}

VDI__DEF vdi_status vdi_svd(vdi_dtype dtype, size_t m, size_t n, const void *a, size_t lda, void *u,
                            void *s, void *vt, void *work, vdi_error *err) {
    const vdi__linalg_kernels *kernels = vdi__linalg_of(dtype);
    const bool tall = m >= n;
    const size_t r = tall ? n : m, c = tall ? m : n;
    const double eps = vdi__epsilon(dtype) * VDI__MAX(1.0, sqrt((double)c));
    const double nothing = dtype == VDI_F64 ? 1e-290 : 1e-34;
    void *g = tall ? work : vt, *jacobi = tall ? vt : work;
    int exponent = 0;
    bool moved = true;
    if (!vdi__scale_of(dtype, false, m, n, a, lda, &exponent)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_svd",
                             "the matrix (%zu,%zu) holds NaN or infinity", m, n);
    }
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            vdi__store(dtype, g, tall ? j * c + i : i * c + j,
                       ldexp(vdi__load(dtype, a, i * lda + j), -exponent));
        }
    }
    vdi__identity(dtype, r, jacobi);
    for (int sweep = 0; sweep < VDI__SWEEPS && moved; sweep++) {
        moved = false;
        for (size_t i = 0; i < r; i++) { /* s holds the squared lengths meanwhile */
            void *row = vdi__element(dtype, g, i * c);
            vdi__store(dtype, s, i, vdi_dot(dtype, c, row, row));
        }
        for (size_t p = 0; p + 1 < r; p++) {
            for (size_t q = p + 1; q < r; q++) {
                void *x = vdi__element(dtype, g, p * c), *y = vdi__element(dtype, g, q * c);
                void *jx = vdi__element(dtype, jacobi, p * r);
                void *jy = vdi__element(dtype, jacobi, q * r);
                double pp = vdi__load(dtype, s, p), qq = vdi__load(dtype, s, q), t, co, si;
                if (pp < nothing || qq < nothing) continue;
                double pq = vdi_dot(dtype, c, x, y);
                if (fabs(pq) <= eps * sqrt(pp) * sqrt(qq)) continue;
                vdi__jacobi_angle(pp, pq, qq, &t, &co, &si);
                /* a quarter turn more keeps the longer row in front, which speeds up the end */
                bool turned = pp < qq;
                double first = turned ? si : co, second = turned ? co : -si;
                kernels->rotate(c, x, y, first, second);
                kernels->rotate(r, jx, jy, first, second);
                vdi__store(dtype, s, p, vdi_dot(dtype, c, x, x));
                vdi__store(dtype, s, q, vdi_dot(dtype, c, y, y));
                moved = true;
            }
        }
    }
    size_t rank = 0;
    for (size_t i = 0; i < r; i++) { /* lengths, then the rows in falling order */
        void *row = vdi__element(dtype, g, i * c);
        double square = vdi_dot(dtype, c, row, row);
        vdi__store(dtype, s, i, square < nothing ? 0 : sqrt(square));
        rank += square >= nothing;
    }
    for (size_t i = 0; i < r; i++) {
        size_t most = i;
        for (size_t j = i + 1; j < r; j++)
            if (vdi__load(dtype, s, j) > vdi__load(dtype, s, most)) most = j;
        double length = vdi__load(dtype, s, most);
        if (most != i) {
            vdi__store(dtype, s, most, vdi__load(dtype, s, i));
            vdi__swap_rows(dtype, c, g, i, most);
            vdi__swap_rows(dtype, r, jacobi, i, most);
        }
        vdi__store(dtype, s, i, ldexp(length, exponent));
        for (size_t k = 0; i < rank && k < c; k++)
            vdi__store(dtype, g, i * c + k, vdi__load(dtype, g, i * c + k) / length);
    }
    vdi__complete_rows(dtype, rank, r, c, g);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < r; j++) {
            vdi__store(dtype, u, i * r + j,
                       tall ? vdi__load(dtype, g, j * c + i) : vdi__load(dtype, jacobi, j * r + i));
        }
    }
    return moved ? VDI_NOT_CONVERGED : VDI_OK;
}
#endif
