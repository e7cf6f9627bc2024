/* linalg/blocktri.h - symmetric positive definite block-tridiagonal matrices: the precision of a Gaussian over time
 *
 * Do this:
 *     vdi_blocktri_desc desc = {0};
 *     desc.dtype = VDI_F64; desc.trials = B; desc.T = T; desc.d = d;
 *     void *mem = malloc(vdi_blocktri_memsize(&desc));
 *     vdi_blocktri bt;
 *     vdi_blocktri_init(&bt, &desc, mem, size, &err);
 *     if (vdi_blocktri_factor(&bt, D, E, &err) < 0) puts(err.message);      "trial 3, block 17: not positive definite"
 *     vdi_blocktri_solve(&bt, 1, h, x);                                     J x = h
 *     vdi_blocktri_sample(&bt, 1, eps, z);                                  z = L^{-T} eps, covariance J^{-1}
 *     vdi_blocktri_marginals(&bt, S, O);                                    the blocks of J^{-1} on and under the diagonal
 *
 * For each of B trials J is (T d)x(T d) with diagonal blocks D_t (symmetric; both triangles are given, the lower one is read) and
 * sub-diagonal blocks E_t = J_{t+1,t}. Arrays are packed, row-major: D (B,T,d,d), E (B,T-1,d,d), vectors (S,B,T,d) with S the
 * number of right-hand sides. J = L L': L_1 = chol D_1, M_t = E_t L_t^{-T}, L_{t+1} = chol(D_{t+1} - M_t M_t').
 * Ragged trials: `lengths` (B) says how many blocks of each trial count; what lies behind them is not read, and is written as 0.
 * Everything is O(T d^3) and allocates nothing after init.
 *
 * How it runs: many trials at small d go through SIMD lanes, one trial per lane; one long trial at small d is eliminated with
 * vector columns, from both ends where that is faster; large d is blocked inside each block. The choice depends on the
 * description alone, so the bits do not depend on threads.
 *
 * Errors: a block that is not positive definite (or not finite) gives VDI_ERR_NOT_POSITIVE_DEFINITE naming trial and block; the
 * factor is then unusable until the next successful factor call. Threads: one object per thread, or desc.pool.
 * What it does not do: pivoting, indefinite matrices, blocks of different size.
 */
#ifndef VDI_LINALG_BLOCKTRI_H
#define VDI_LINALG_BLOCKTRI_H
#include "../core/pool.h"
#include "../kernel/table.h"

/* kernels, one per path: X(name, result, (arguments)) */
#define VDI__LINALG_KERNELS_BLOCKTRI(X) X(placeholder_blocktri, int, (int x))

/** Shape of a batch of block-tridiagonal systems. */
typedef struct vdi_blocktri_desc {
    vdi_dtype dtype;        /**< VDI_F32 or VDI_F64 */
    int64_t trials;         /**< B >= 1 */
    int64_t T;              /**< blocks per trial, >= 1 */
    int64_t d;              /**< block size, >= 1 */
    const int64_t *lengths; /**< (B), each 0..T; NULL: all T. Read at init, not kept */
    vdi_pool *pool;         /**< NULL: the caller's thread alone. Split by groups of trials */
} vdi_blocktri_desc;

/** A factorised batch: a handle into the caller's block. Treat the members as private. */
typedef struct vdi_blocktri {
    vdi_dtype dtype;
    int32_t method; /* how it runs */
    int64_t trials, T, d, groups;
    int64_t *lengths; /* (B) in the block, or NULL if all are T */
    void *factor;     /* in the method's own layout */
    void *work;
    vdi_pool *pool;
    bool factored;
} vdi_blocktri;

/** Bytes that the systems need; SIZE_MAX if the description is out of range. */
VDI_API size_t vdi_blocktri_memsize(const vdi_blocktri_desc *desc);
/** Set up inside the caller's block of at least vdi_blocktri_memsize bytes (any alignment). */
VDI_API VDI_NODISCARD vdi_status vdi_blocktri_init(vdi_blocktri *bt, const vdi_blocktri_desc *desc, void *mem, size_t size, vdi_error *err);
/** Factorise: D (B,T,d,d), E (B,T-1,d,d) (NULL where T is 1). */
VDI_API VDI_NODISCARD vdi_status vdi_blocktri_factor(vdi_blocktri *bt, const void *D, const void *E, vdi_error *err);
/** log det J per trial, out (B). */
VDI_API void vdi_blocktri_logdet(const vdi_blocktri *bt, void *out);
/** x = J^{-1} h, both (nrhs,B,T,d); x may be h. */
VDI_API void vdi_blocktri_solve(const vdi_blocktri *bt, int64_t nrhs, const void *h, void *x);
/** x = L^{-1} h (half a solve: whitening). */
VDI_API void vdi_blocktri_solve_lower(const vdi_blocktri *bt, int64_t nrhs, const void *h, void *x);
/** z = L^{-T} eps, both (nrhs,B,T,d); z may be eps. With eps ~ N(0,I), z ~ N(0,J^{-1}). */
VDI_API void vdi_blocktri_sample(const vdi_blocktri *bt, int64_t nrhs, const void *eps, void *z);
/** S (B,T,d,d) = Cov(z_t), O (B,T-1,d,d) = Cov(z_{t+1}, z_t): the blocks of J^{-1}. O may be NULL. */
VDI_API void vdi_blocktri_marginals(const vdi_blocktri *bt, void *S, void *O);
/** The Cholesky blocks themselves: L (B,T,d,d) lower with positive diagonals, M (B,T-1,d,d). Either may be NULL. */
VDI_API void vdi_blocktri_get_factor(const vdi_blocktri *bt, void *L, void *M);
/** y = J x, both (nrhs,B,T,d), from the blocks themselves; y may not be x. Needs no factor. */
VDI_API void vdi_blocktri_matvec(const vdi_blocktri *bt, const void *D, const void *E, int64_t nrhs, const void *x, void *y);

/* ---- reverse mode ----------------------------------------------------------------------------------------------------------
 * For a scalar F of the outputs, given the cotangents of the outputs, these add the cotangents of h, eps, D and E.
 * Convention: the cotangent of D_t is symmetric (dF = sum_ij Dbar_ij dD_ij for a symmetric dD), that of E_t is for the stored lower
 * block (so it holds both places in which E_t stands in J). Source: the adjoints of Cholesky (Murray 2016) and of the
 * selected inverse; docs/blocktri.md derives them. All need the factor of the very D, E whose cotangents they add.
 */
/** Bytes of scratch for the adjoints below. */
VDI_API size_t vdi_blocktri_adjoint_worksize(const vdi_blocktri_desc *desc);
/** F through log det: ldbar (B). Adds to Dbar (B,T,d,d), Ebar (B,T-1,d,d). */
VDI_API void vdi_blocktri_logdet_adjoint(const vdi_blocktri *bt, const void *ldbar, void *work, void *Dbar, void *Ebar);
/** F through x = J^{-1} h: xbar (nrhs,B,T,d). Adds to hbar (nrhs,B,T,d), Dbar, Ebar; each may be NULL. */
VDI_API void vdi_blocktri_solve_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *x, const void *xbar, void *work, void *hbar, void *Dbar,
                                        void *Ebar);
/** F through z = L^{-T} eps: zbar (nrhs,B,T,d). Adds to epsbar, Dbar, Ebar; each may be NULL. */
VDI_API void vdi_blocktri_sample_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *z, const void *zbar, void *work, void *epsbar, void *Dbar,
                                         void *Ebar);
/** F through S and O: Sbar (B,T,d,d) (any, its symmetric part counts), Obar (B,T-1,d,d) or NULL; S, O as vdi_blocktri_marginals gave them. */
VDI_API void vdi_blocktri_marginals_adjoint(const vdi_blocktri *bt, const void *S, const void *O, const void *Sbar, const void *Obar, void *work,
                                            void *Dbar, void *Ebar);
/** F through L and M themselves (for functions of the factor that are not listed above). Adds to Dbar, Ebar. */
VDI_API void vdi_blocktri_factor_adjoint(const vdi_blocktri *bt, const void *Lbar, const void *Mbar, void *work, void *Dbar, void *Ebar);

#endif /* VDI_LINALG_BLOCKTRI_H */
