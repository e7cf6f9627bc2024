/* linalg/kalman.h - Kalman filter and Rauch-Tung-Striebel smoother for many trials at once
 *
 * Do this: see model/lds/lds.h, which prepares the arrays. The recursions are here because they are
 * linear algebra over lanes: one covariance sequence ("group") per SIMD lane, and under it as many
 * mean sequences as there are trials with those covariances.
 *
 *     z_1 ~ N(c_1, Q0),  z_t = A z_{t-1} + c_t + N(0, Q),  and each bin's observation enters by its
 *     information
 *     W_t = C' R^{-1} C (d,d) and h_t = C' R^{-1} (y_t - b)  (rows of missing entries left out).
 *
 * The update is done in square-root form, so that nothing is inverted and no covariance can lose
 * its sign:
 *     Pp = L L',  I + L' W L = G G',  K = L G^{-T},  Pf = K K',  mf = mp + K K' (h - W mp).
 * Source: Kalman 1960, Rauch, Tung, Striebel 1965; the form of the update by Woodbury's identity.
 *
 * Arrays are packed: covariances (G,T,d,d), means (S,G,T,d). Behind a group's length everything is
 * written as 0.
 */
#ifndef VDI_LINALG_KALMAN_H
#define VDI_LINALG_KALMAN_H
#include "../kernel/table.h"

/** Sizes of a filter run. */
typedef struct vdi_kalman_desc {
    vdi_dtype dtype;        /**< VDI_F32 or VDI_F64 */
    int64_t groups;         /**< G: distinct covariance sequences */
    int64_t nrhs;           /**< S: mean sequences per group */
    int64_t T, d;           /**< bins, state dimension */
    const int64_t *lengths; /**< (G), or NULL: all T */
} vdi_kalman_desc;

/* the request as the kernels see it */
typedef struct vdi__kalman_args {
    int64_t groups, nrhs, T, d;
    const int64_t *lengths;
    const void *A, *Q, *Q0, *W, *h, *c;
    void *mp, *Pp, *mf, *Pf, *ll, *ms, *Ps, *Pc, *work;
    int64_t bad_group, bad_time; /* where a covariance was not positive definite; -1 */
} vdi__kalman_args;
#define VDI__LINALG_KERNELS_KALMAN(X) \
    X(kalman_filter, void, (vdi__kalman_args * a)) X(kalman_smooth, void, (vdi__kalman_args * a))

/** Bytes of scratch for both functions; SIZE_MAX if the sizes are out of range. */
VDI_API size_t vdi_kalman_worksize(const vdi_kalman_desc *desc);
/** Filter. A, Q, Q0 (d,d); W (G,T,d,d); h, c (S,G,T,d), c_1 being the mean of z_1. Writes predicted
 * mp, filtered mf (S,G,T,d), their
 *  covariances Pp, Pf (G,T,d,d), and ll (S,G): the part of log p(y) that depends on z, that is log
 *  p(y) + (1/2) sum_t (n_t log 2 pi + log|R_t| + (y_t - b)' R_t^{-1} (y_t - b)).
 *  VDI_ERR_NOT_POSITIVE_DEFINITE names group and bin. */
VDI_API VDI_NODISCARD vdi_status vdi_kalman_filter(const vdi_kalman_desc *desc, const void *A,
                                                   const void *Q, const void *Q0, const void *W,
                                                   const void *h, const void *c, void *work,
                                                   void *mp, void *Pp, void *mf, void *Pf, void *ll,
                                                   vdi_error *err);
/** Smooth what vdi_kalman_filter left: ms (S,G,T,d), Ps (G,T,d,d), Pc (G,T-1,d,d) = Cov(z_{t+1},
 * z_t | y). */
VDI_API VDI_NODISCARD vdi_status vdi_kalman_smooth(const vdi_kalman_desc *desc, const void *A,
                                                   const void *mp, const void *Pp, const void *mf,
                                                   const void *Pf, void *work, void *ms, void *Ps,
                                                   void *Pc, vdi_error *err);

#endif /* VDI_LINALG_KALMAN_H */

#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_LINALG_KALMAN_C)
#define VDI_LINALG_KALMAN_C

/* Lane matrices of scratch: eight d x d, six d-vectors, and the pivots of every bin for one log at
 * the end; 16 lanes at most. */
VDI__DEF size_t vdi_kalman_worksize(const vdi_kalman_desc *desc) {
    if (desc->d < 1 || desc->T < 1 || desc->groups < 1 || desc->nrhs < 1 || desc->d > 4096)
        return SIZE_MAX;
    size_t d = (size_t)desc->d;
    size_t vectors = vdi_add_size(8 * d * d + 6 * d + 16, vdi_mul_size((size_t)desc->T, 1));
    vectors = vdi_add_size(vectors, vdi_mul_size((size_t)desc->nrhs, 2 * d + 1));
    return vdi_add_size(vdi_mul_size(vectors, 128), VDI_ALIGN);
}

VDI__FN vdi_status vdi__kalman_run(const vdi_kalman_desc *desc, vdi__kalman_args *a,
                                   const char *where, bool filter, vdi_error *err) {
    if (!vdi_dtype_is_real(desc->dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where, "dtype is %s, expected float32 or float64",
                             vdi_dtype_name(desc->dtype));
    }
    if (vdi_kalman_worksize(desc) == SIZE_MAX) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, where,
            "groups %lld, nrhs %lld, T %lld, d %lld: each must be at least 1 and d at most 4096",
            (long long)desc->groups, (long long)desc->nrhs, (long long)desc->T, (long long)desc->d);
    }
    a->groups = desc->groups;
    a->nrhs = desc->nrhs;
    a->T = desc->T;
    a->d = desc->d;
    a->lengths = desc->lengths;
    a->bad_group = a->bad_time = -1;
    if (filter)
        vdi__linalg_of(desc->dtype)->kalman_filter(a);
    else
        vdi__linalg_of(desc->dtype)->kalman_smooth(a);
    if (a->bad_group >= 0) {
        return vdi_error_set(
            err, VDI_ERR_NOT_POSITIVE_DEFINITE, where,
            "predicted covariance of group %lld at bin %lld is not positive definite",
            (long long)a->bad_group, (long long)a->bad_time);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_kalman_filter(const vdi_kalman_desc *desc, const void *A, const void *Q,
                                      const void *Q0, const void *W, const void *h, const void *c,
                                      void *work, void *mp, void *Pp, void *mf, void *Pf, void *ll,
                                      vdi_error *err) {
    vdi__kalman_args a = VDI__ZERO;
    a.A = A;
    a.Q = Q;
    a.Q0 = Q0;
    a.W = W;
    a.h = h;
    a.c = c;
    a.work = work;
    a.mp = mp;
    a.Pp = Pp;
    a.mf = mf;
    a.Pf = Pf;
    a.ll = ll;
    return vdi__kalman_run(desc, &a, "vdi_kalman_filter", true, err);
}

VDI__DEF vdi_status vdi_kalman_smooth(const vdi_kalman_desc *desc, const void *A, const void *mp,
                                      const void *Pp, const void *mf, const void *Pf, void *work,
                                      void *ms, void *Ps, void *Pc, vdi_error *err) {
    vdi__kalman_args a = VDI__ZERO;
    a.A = A;
    a.work = work;
    a.ms = ms;
    a.Ps = Ps;
    a.Pc = Pc;
    /* read only there; the struct serves both directions */
    memcpy(&a.mp, &mp, sizeof mp);
    memcpy(&a.Pp, &Pp, sizeof Pp);
    memcpy(&a.mf, &mf, sizeof mf);
    memcpy(&a.Pf, &Pf, sizeof Pf);
    return vdi__kalman_run(desc, &a, "vdi_kalman_smooth", false, err);
}
#endif
