/* linalg/dense.h - Cholesky, LDL', triangular solves, symmetric eigenvalues and SVD for small dense matrices
 *
 * Do this:
 *     if (vdi_cholesky(VDI_F64, n, A, n, &err) < 0) ...           A = L L', lower triangle in place, upper one zeroed
 *     vdi_trsm(VDI_F64, VDI_TRSM_LOWER, n, rhs, A, n, X, rhs);    X = L^{-1} X
 *     vdi_eigh(VDI_F64, n, A, n, values, vectors, work);
 *
 * Row-major with leading dimension. Meant for n up to a few hundred; errors are backward stable (residual ratios as LAPACK's).
 */
#ifndef VDI_LINALG_DENSE_H
#define VDI_LINALG_DENSE_H
#include "../kernel/table.h"

/* kernels, one per path: X(name, result, (arguments)) */
#define VDI__LINALG_KERNELS_DENSE(X) X(placeholder_dense, int, (int x))

/** A (n,n), lower triangle read: overwritten by L with A = L L', the upper triangle by 0.
 *  VDI_ERR_NOT_POSITIVE_DEFINITE names the pivot; A is then partly overwritten. */
VDI_API VDI_NODISCARD vdi_status vdi_cholesky(vdi_dtype dtype, size_t n, void *a, size_t lda, vdi_error *err);
/** A = L D L' with unit lower L and diagonal D (n), no pivoting: for positive definite or quasi-definite A.
 *  A's strict lower triangle becomes L, its diagonal 1, its upper triangle 0. VDI_ERR_NUMERIC on a zero or non-finite pivot. */
VDI_API VDI_NODISCARD vdi_status vdi_ldl(vdi_dtype dtype, size_t n, void *a, size_t lda, void *diag, vdi_error *err);

/** Flags of vdi_trsm. */
enum {
    VDI_TRSM_LOWER = 0, /**< op(L) X = B */
    VDI_TRSM_TRANS = 1, /**< with L' instead of L */
    VDI_TRSM_RIGHT = 2  /**< X op(L) = B */
};
/** Solve with the lower triangle L (n,n) in place: B is (n,m), or (m,n) with VDI_TRSM_RIGHT. The diagonal of L must not be 0. */
VDI_API void vdi_trsm(vdi_dtype dtype, int flags, size_t n, size_t m, const void *l, size_t ldl, void *b, size_t ldb);
/** Solve A X = B (n,m) in place, from A's Cholesky factor. */
VDI_API void vdi_cholesky_solve(vdi_dtype dtype, size_t n, size_t m, const void *l, size_t ldl, void *b, size_t ldb);
/** log det A = 2 sum log L_ii. */
VDI_API double vdi_cholesky_logdet(vdi_dtype dtype, size_t n, const void *l, size_t ldl);
/** Inverse (n,n) of A from its Cholesky factor, both triangles; for reporting a covariance, not for solving. `inv` may not be `l`. */
VDI_API void vdi_cholesky_inverse(vdi_dtype dtype, size_t n, const void *l, size_t ldl, void *inv, size_t ldi);

/** A = V diag(w) V' of a symmetric A (n,n), lower triangle read: w (n) rising, V (n,n) packed with eigenvectors as columns, each with
 *  its largest entry positive. Jacobi, cyclic. `work` holds n*n elements. VDI_ERR_NUMERIC if A is not finite. */
VDI_API VDI_NODISCARD vdi_status vdi_eigh(vdi_dtype dtype, size_t n, const void *a, size_t lda, void *w, void *v, void *work, vdi_error *err);
/** A (m,n) = U diag(s) V': with r = min(m,n), U (m,r), s (r) falling, Vt (r,n), all packed. One-sided Jacobi (accurate for small s).
 *  `work` holds vdi_svd_work(m,n) elements. VDI_ERR_NUMERIC if A is not finite. */
VDI_API VDI_NODISCARD vdi_status vdi_svd(vdi_dtype dtype, size_t m, size_t n, const void *a, size_t lda, void *u, void *s, void *vt, void *work,
                                         vdi_error *err);
VDI_API size_t vdi_svd_work(size_t m, size_t n);

#endif /* VDI_LINALG_DENSE_H */
