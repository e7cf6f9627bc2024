/* model/lds/exact.h - the posterior of lds where the other routes lose digits or do not exist:
 * semidefinite Q, Q0 or R, and values of very different magnitude
 *
 * Nothing public; vdi_lds_smooth and the other calls choose this route automatically. Forward by
 * root.h, backward by the adjoint recursion, which inverts no covariance. With r and N from all
 * bins after, for the values of a bin, the last first,
 *
 *     r = c v / s + (I - k c')' r,   N = c c' / s + (I - k c')' N (I - k c')
 *
 * and then z = mp + Pp r, Cov z = Pp - Pp N Pp, Cov(z_{t+1}, z_t) = (I - Pp N)_{t+1} A Pf_t; a bin
 * back, r = A' r, N = A' N A.
 * Source: Bryson and Frazier 1963; de Jong 1989; Koopman and Durbin 2000.
 */
#ifndef VDI_MODEL_LDS_EXACT_H
#define VDI_MODEL_LDS_EXACT_H
#include "data.h"
#include "root.h"
#endif /* VDI_MODEL_LDS_EXACT_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_EXACT_C)
#define VDI_MODEL_LDS_EXACT_C

/* ---- which route ----------------------------------------------------------------------------- */

/* Below this part of the variance around it, a noise has lost half the digits of a double in a
 * precision. */
#define VDI__LDS_THIN 1e-8

/* The least squared pivot of V's factor in units of `scale` (n); 0 if there is no factor. */
VDI__FN double vdi__lds_least_pivot(int64_t n, const double *V, const double *scale, double *L) {
    double least = 1;
    memcpy(L, V, (size_t)(n * n) * sizeof *L);
    if (vdi_cholesky(VDI_F64, (size_t)n, L, (size_t)n, NULL) < 0) return 0;
    for (int64_t i = 0; i < n; i++) {
        const double own = L[i * n + i] * L[i * n + i];
        if (scale[i] > 0) least = VDI__MIN(least, own / scale[i]);
    }
    return least;
}

/* P = the covariance that d steps or more of noise make, by doubling. `work` holds 3 d d. */
VDI__FN void vdi__lds_noise_ahead(const vdi_lds *p, double *P, double *work) {
    const size_t d = (size_t)p->desc.d;
    double *F = work, *X = work + d * d, *Y = X + d * d;
    memcpy(P, p->Q, d * d * sizeof *P);
    memcpy(F, p->A, d * d * sizeof *F);
    for (size_t steps = 1; steps <= d; steps *= 2) {
        vdi_gemm(VDI_F64, 0, d, d, d, F, d, P, d, X, d);
        vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, d, d, d, X, d, F, d, P, d);
        vdi_gemm(VDI_F64, 0, d, d, d, F, d, F, d, Y, d);
        memcpy(F, Y, d * d * sizeof *F);
    }
}

/* Does this model need the exact route? */
VDI__FN bool vdi__lds_is_thin(const vdi_lds *p, vdi_lds_data *a) {
    const int64_t d = a->d, n = a->n;
    const size_t D = (size_t)d;
    double *P = a->exact.P, *work = a->exact.N, *scale = a->exact.scale, *CP = a->ahead_CP;
    vdi__lds_noise_ahead(p, P, work);
    for (int64_t i = 0; i < d; i++)
        scale[i] = P[i * d + i];
    if (vdi__lds_least_pivot(d, p->Q, scale, work) < VDI__LDS_THIN) return true;
    if (vdi__lds_least_pivot(d, p->Q0, scale, work) < VDI__LDS_THIN) return true;
    vdi_gemm(VDI_F64, 0, (size_t)n, D, D, p->C, D, P, D, CP, D);
    for (int64_t j = 0; j < n; j++) {
        scale[j] = vdi_dot(VDI_F64, D, CP + j * d, p->C + j * d);
        const double r = p->R[j * (n + 1)];
        if (p->desc.diagonal_r && !(r > VDI__LDS_THIN * scale[j])) return true;
    }
    return !p->desc.diagonal_r &&
           vdi__lds_least_pivot(n, p->R, scale, a->exact.root.T) < VDI__LDS_THIN;
}

/* ---- forward --------------------------------------------------------------------------------- */

VDI__FN const double *vdi__lds_mask(const vdi_lds_data *a, int64_t lane, int64_t t) {
    return a->lane.mask ? a->lane.mask + (lane * a->T + t) * a->n : NULL;
}

VDI__FN vdi_status vdi__lds_determined(const vdi_lds_data *a, int64_t lane, int64_t t,
                                       vdi_error *err) {
    return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_lds",
                         "trial %lld, bin %lld: a value is determined by those before it (no noise "
                         "in R, none in the latents), and has no density",
                         (long long)a->lane.trial_at[lane], (long long)t);
}

/* Bin t of a lane: what is predicted and filtered into kmp, kPp, kmf, kPf, the root of what is
 * predicted into D; ll of its trials. */
VDI__FN vdi_status vdi__lds_root_bin(vdi_lds_data *a, int64_t lane, int64_t t, vdi_error *err) {
    vdi__root *q = &a->exact.root;
    const int64_t d = a->d, dd = d * d, at = lane * a->T + t;
    int64_t which = 0;
    vdi_status status = vdi__root_see(q, vdi__lds_mask(a, lane, t), err);
    if (status < 0) return status;
    vdi__root_ahead(q, t == 0);
    memcpy(a->D + at * dd, q->S, (size_t)dd * sizeof(double));
    vdi__root_square(q, a->kPp + at * dd);
    if (!vdi__root_gains(q, &which)) return vdi__lds_determined(a, lane, t, err);
    vdi__root_square(q, a->kPf + at * dd);
    for (int64_t row = 0; row < a->lane.rows; row++) {
        const int64_t i = a->lane.trial_at[row * a->lane.count + lane];
        const int64_t mean = ((row * a->lane.count + lane) * a->T + t) * d;
        if (i < 0) continue;
        memcpy(a->kmp + mean, a->c + mean, (size_t)d * sizeof(double)); /* B u, or x0 */
        if (t > 0) {
            vdi_gemv(VDI_F64, VDI_GEMM_ACC, (size_t)d, (size_t)d, q->A, (size_t)d,
                     a->kmf + mean - d, a->kmp + mean);
        }
        memcpy(a->kmf + mean, a->kmp + mean, (size_t)d * sizeof(double));
        vdi__root_values(q, a->yt + (i * a->T + t) * a->n);
        a->ll[i] += q->jacobian - 0.5 * (q->log_s + vdi__root_update(q, a->kmf + mean));
    }
    return VDI_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* N of the bins from this one on: the values of the bin, the last first. */
VDI__FN void vdi__lds_adjoint_covariance(const vdi__root *q, double *N, double *w) {
    const int64_t d = q->d;
    for (int64_t i = q->m - 1; i >= 0; i--) {
        const double *c = q->c + i * d, *k = q->gain + i * d;
        vdi_gemv(VDI_F64, 0, (size_t)d, (size_t)d, N, (size_t)d, k, w);
        const double both = vdi_dot(VDI_F64, (size_t)d, k, w) + 1 / q->s[i];
        for (int64_t e = 0; e < d * d; e++)
            N[e] += both * c[e / d] * c[e % d] - c[e / d] * w[e % d] - w[e / d] * c[e % d];
    }
}

/* r of a trial likewise. */
VDI__FN void vdi__lds_adjoint_mean(const vdi__root *q, double *r) {
    const size_t d = (size_t)q->d;
    for (int64_t i = q->m - 1; i >= 0; i--) {
        const double e = q->v[i] / q->s[i] - vdi_dot(VDI_F64, d, q->gain + i * q->d, r);
        vdi_axpby(VDI_F64, d, e, q->c + i * q->d, 1, r);
    }
}

/* O = Cov(z_{t+1}, z_t) = (I - Pp N)_{t+1} A Pf_t, with N of the bins from t + 1 on. */
VDI__FN void vdi__lds_exact_lagged(vdi_lds_data *a, int64_t lane, int64_t t, double *X) {
    const size_t d = (size_t)a->d;
    const int64_t dd = a->d * a->d, at = lane * a->T + t;
    double *AP = a->exact.P, *O = a->O + (lane * (a->T - 1) + t) * dd;
    vdi_gemm(VDI_F64, 0, d, d, d, a->exact.root.A, d, a->kPf + at * dd, d, AP, d);
    vdi_gemm(VDI_F64, 0, d, d, d, a->exact.N, d, AP, d, X, d);
    vdi_gemm(VDI_F64, 0, d, d, d, a->kPp + (at + 1) * dd, d, X, d, O, d);
    vdi_binary(VDI_F64, VDI_SUB, d * d, AP, 1, O, 1, O);
}

/* Bin t of a lane, backward: m, S. `X` holds 2 d d. */
VDI__FN vdi_status vdi__lds_exact_back(vdi_lds_data *a, int64_t lane, int64_t t, bool covariances,
                                       double *X, vdi_error *err) {
    vdi__root *q = &a->exact.root;
    const int64_t d = a->d, dd = d * d, at = lane * a->T + t;
    const size_t D = (size_t)d;
    double *N = a->exact.N, *Y = X + dd;
    int64_t which = 0;
    const bool last = t + 1 == a->lane.lengths[lane];
    const vdi_status status = vdi__root_see(q, vdi__lds_mask(a, lane, t), err);
    if (status < 0) return status;
    if (!last) { /* from the bin after to this one: N = A' N A */
        if (covariances) vdi__lds_exact_lagged(a, lane, t, X);
        vdi_gemm(VDI_F64, 0, D, D, D, N, D, q->A, D, X, D);
        vdi_gemm(VDI_F64, VDI_GEMM_TA, D, D, D, q->A, D, X, D, N, D);
    }
    memcpy(q->S, a->D + at * dd, (size_t)dd * sizeof(double));
    if (!vdi__root_gains(q, &which)) return vdi__lds_determined(a, lane, t, err);
    for (int64_t row = 0; row < a->lane.rows; row++) {
        const int64_t slot = row * a->lane.count + lane, i = a->lane.trial_at[slot];
        const int64_t mean = (slot * a->T + t) * d;
        double *r = a->exact.r + row * d, *m = a->m + mean;
        if (i < 0) continue;
        if (!last) {
            vdi_gemv(VDI_F64, VDI_GEMM_TA, D, D, q->A, D, r, X);
            memcpy(r, X, D * sizeof *r);
        }
        memcpy(m, a->kmp + mean, D * sizeof *m);
        vdi__root_values(q, a->yt + (i * a->T + t) * a->n);
        (void)vdi__root_update(q, m);
        vdi__lds_adjoint_mean(q, r);
        memcpy(m, a->kmp + mean, D * sizeof *m);
        vdi_gemv(VDI_F64, VDI_GEMM_ACC, D, D, a->kPp + at * dd, D, r, m);
    }
    vdi__lds_adjoint_covariance(q, N, X);
    if (!covariances) return VDI_OK;
    vdi_gemm(VDI_F64, 0, D, D, D, N, D, a->kPp + at * dd, D, X, D);
    vdi_gemm(VDI_F64, 0, D, D, D, a->kPp + at * dd, D, X, D, Y, D);
    vdi_binary(VDI_F64, VDI_SUB, D * D, a->kPp + at * dd, 1, Y, 1, a->S + at * dd);
    vdi__symmetrise(d, a->S + at * dd);
    return VDI_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* m, S and O (if wanted), ll, and the filter's kmp, kPp, kmf, kPf, from yt and c. */
VDI__FN vdi_status vdi__lds_exact(const vdi_lds *p, vdi_lds_data *a, bool covariances,
                                  vdi_error *err) {
    const size_t means = vdi__lds_means(a) * sizeof(double);
    const size_t covs = vdi__lds_covariances(a) * sizeof(double);
    vdi_status status = vdi__root_begin(&a->exact.root, p, err);
    memset(a->ll, 0, (size_t)a->trials * sizeof(double));
    memset(a->kmp, 0, means);
    memset(a->kmf, 0, means);
    memset(a->m, 0, means);
    memset(a->kPp, 0, covs);
    memset(a->kPf, 0, covs);
    memset(a->S, 0, covs);
    memset(a->O, 0, covs);
    for (int64_t g = 0; status == VDI_OK && g < a->lane.count; g++) {
        const int64_t length = a->lane.lengths[g];
        for (int64_t t = 0; status == VDI_OK && t < length; t++)
            status = vdi__lds_root_bin(a, g, t, err);
        memset(a->exact.N, 0, (size_t)(a->d * a->d) * sizeof(double));
        memset(a->exact.r, 0, (size_t)(a->lane.rows * a->d) * sizeof(double));
        for (int64_t t = length - 1; status == VDI_OK && t >= 0; t--)
            status = vdi__lds_exact_back(a, g, t, covariances, a->exact.X, err);
    }
    for (int64_t i = 0; status == VDI_OK && i < a->trials; i++) {
        if (vdi__is_finite(a->ll[i])) continue;
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_lds", "log likelihood of trial %lld is %g",
                             (long long)i, a->ll[i]);
    }
    return status;
}
#endif
