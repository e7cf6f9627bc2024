/* model/lds/smooth.h - the exact posterior of a linear dynamical system's latents, and log p(y)
 *
 * Do this:
 *     vdi_lds_moments out = {0};
 *     out.ms = means;                                    (trials,T,d)
 *     vdi_lds_smooth(lds, data, &out, &err);
 *     vdi_lds_log_likelihood(lds, data, NULL, &log_likelihood, &err);
 *
 * Two routes lead to the moments and are tested against each other: the block-tridiagonal solver
 * (default) and the Kalman filter with RTS smoother. Trials that share covariances (lanes.h) share
 * one sequence; all lanes go through the same batched kernels.
 * Memory: none is allocated. Source of the formulas: docs/guide/lds.md.
 */
#ifndef VDI_MODEL_LDS_SMOOTH_H
#define VDI_MODEL_LDS_SMOOTH_H
#include "data.h"

/** Where vdi_lds_smooth writes; NULL members are not computed. Means are (trials,T,d), covariances
 * (lanes,T,d,d): vdi_lds_data_lane(data, trial) is that trial's. Asking for filter moments runs the
 * Kalman filter as well. */
typedef struct vdi_lds_moments {
    double *mp, *Pp; /**< predicted: E and Cov of z_t given y_1..y_{t-1} */
    double *mf, *Pf; /**< filtered: given y_1..y_t */
    double *ms, *Ps; /**< smoothed: given all */
    double *Pc;      /**< (lanes,T-1,d,d): Cov(z_{t+1}, z_t | y) */
    double *ll;      /**< (trials): log p(y), nats, all constants included */
    bool kalman;     /**< smooth by Kalman and RTS instead of the block-tridiagonal solver */
} vdi_lds_moments;

/** Posterior moments of the latents. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_smooth(const vdi_lds *lds, vdi_lds_data *data,
                                                const vdi_lds_moments *out, vdi_error *err);
/** log p(y) of each trial into ll (trials) (may be NULL), and its sum. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_log_likelihood(const vdi_lds *lds, vdi_lds_data *data,
                                                        double *ll, double *sum, vdi_error *err);

#endif /* VDI_MODEL_LDS_SMOOTH_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_SMOOTH_C)
#define VDI_MODEL_LDS_SMOOTH_C

/* ---- what the observations say ----------------------------------------------------------------
 * Their information W_t (d,d), C' R^{-1} (y - b - D u) into yd, and their share of log p(y). */

/* yt = y - b - D u where observed, else 0 */
VDI__FN void vdi__lds_residual(const vdi_lds *p, vdi_lds_data *a) {
    const int64_t n = a->n, U = a->inputs;
    double *shift = a->observed.shift;
    for (int64_t j = 0; j < n; j++)
        shift[j] = a->y_mean[j] - p->b[j];
    for (int64_t i = 0; i < a->trials; i++) {
        for (int64_t t = 0; t < a->lengths[i]; t++) {
            double *r = a->yt + (i * a->T + t) * n;
            const double *u = a->u + (i * a->T + t) * U;
            vdi_binary(VDI_F64, VDI_ADD, (size_t)n, a->y + (i * a->T + t) * n, 1, shift, 1, r);
            for (int64_t j = 0; U > 0 && j < n; j++) {
                for (int64_t q = 0; q < U; q++)
                    r[j] -= p->D[j * U + q] * u[q];
            }
            if (!a->lane.mask) continue;
            const double *mask = a->lane.mask + (a->lane.of[i] * a->T + t) * n;
            vdi_binary(VDI_F64, VDI_MUL, (size_t)n, r, 1, mask, 1, r);
        }
    }
}

/* A trial's share of log p(y) for a diagonal R. */
VDI__FN double vdi__lds_diagonal_share(const vdi_lds_data *a, int64_t trial) {
    const int64_t n = a->n;
    const double *rinv = a->observed.rinv;
    double quad = 0, logdet = 0;
    for (int64_t j = 0; j < n; j++)
        logdet += a->channel_count[trial * n + j] * a->observed.logr[j];
    for (int64_t t = 0; t < a->lengths[trial]; t++) {
        const double *r = a->yt + (trial * a->T + t) * n;
        double s = 0;
        for (int64_t j = 0; j < n; j++)
            s += r[j] * r[j] * rinv[j];
        quad += s;
    }
    return -0.5 * (quad + logdet);
}

/* Diagonal R: W_t = sum over observed channels of C_j C_j' / R_jj. */
VDI__FN void vdi__lds_observe_diagonal(const vdi_lds *p, vdi_lds_data *a) {
    const int64_t n = a->n, d = a->d, dd = d * d;
    const size_t N = (size_t)n, D = (size_t)d, rows = (size_t)(a->trials * a->T);
    double *CR = a->observed.CR, *CC = a->observed.CC, *rinv = a->observed.rinv;
    for (int64_t j = 0; j < n; j++) {
        rinv[j] = 1 / p->R[j * n + j];
        a->observed.logr[j] = log(p->R[j * n + j]) + VDI_LOG_2PI;
        for (int64_t k = 0; k < d; k++)
            CR[j * d + k] = p->C[j * d + k] * rinv[j];
    }
    if (a->shared_w) {
        vdi_gemm(VDI_F64, VDI_GEMM_TA, D, D, N, p->C, D, CR, D, a->W, D);
    } else {
        for (int64_t j = 0; j < n; j++) {
            for (int64_t k = 0; k < dd; k++)
                CC[j * dd + k] = p->C[j * d + k / d] * CR[j * d + k % d];
        }
        vdi_gemm(VDI_F64, 0, (size_t)(a->lane.count * a->T), (size_t)dd, N, a->lane.mask, N, CC,
                 (size_t)dd, a->W, (size_t)dd);
    }
    vdi_gemm(VDI_F64, 0, rows, D, N, a->yt, N, CR, D, a->yd, D);
    for (int64_t i = 0; i < a->trials; i++)
        a->ll[i] += vdi__lds_diagonal_share(a, i);
}

/* The channels of a pattern into `seen`, the factor of their part of R into `factor`; *count:
 * how many. */
VDI__FN vdi_status vdi__lds_pattern_factor(const vdi_lds *p, vdi_lds_data *a, int64_t pattern,
                                           int64_t *count, vdi_error *err) {
    const int64_t n = a->n, *seen = a->observed.seen;
    int64_t m = 0;
    for (int64_t j = 0; j < n; j++)
        if (a->pattern.mask[pattern * n + j]) a->observed.seen[m++] = j;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < m; j++)
            a->observed.gathered[i * m + j] = p->R[seen[i] * n + seen[j]];
    }
    *count = m;
    return vdi__covariance_factor("R", m, a->observed.gathered, a->observed.factor, err);
}

/* Trial and bin of the place in pattern.bins. */
VDI__FN int64_t vdi__lds_bin(const vdi_lds_data *a, int64_t place, int64_t *t) {
    *t = a->pattern.bins[place] % a->T;
    return a->lane.trial_at[a->pattern.bins[place] / a->T];
}

/* Bins `at` and the next few of a pattern with m channels: whitened residuals Y = L^{-1} yt, and X
 * = Y (L^{-1}C). */
VDI__FN void vdi__lds_observe_rows(vdi_lds_data *a, int64_t at, int64_t rows, int64_t m,
                                   double logdet) {
    const int64_t n = a->n, d = a->d, *seen = a->observed.seen;
    const size_t M = (size_t)m, D = (size_t)d, R = (size_t)rows;
    double *Y = a->observed.Y, *X = a->observed.X;
    int64_t t = 0;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t trial = vdi__lds_bin(a, at + r, &t);
        const double *y = a->yt + (trial * a->T + t) * n;
        for (int64_t i = 0; i < m; i++)
            Y[r * m + i] = y[seen[i]];
    }
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, M, R, a->observed.factor, M, Y, M);
    vdi_gemm(VDI_F64, 0, R, D, M, Y, M, a->observed.CR, D, X, D);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t trial = vdi__lds_bin(a, at + r, &t);
        memcpy(a->yd + (trial * a->T + t) * d, X + r * d, D * sizeof(double));
        a->ll[trial] -= 0.5 * (vdi_dot(VDI_F64, M, Y + r * m, Y + r * m) + logdet);
    }
}

/* Full R: the rows of a pattern's bins are gathered, so that it is a few matrix products. */
VDI__FN vdi_status vdi__lds_observe_pattern(const vdi_lds *p, vdi_lds_data *a, int64_t q,
                                            vdi_error *err) {
    const int64_t d = a->d, last = a->pattern.start[q + 1], *seen = a->observed.seen;
    const size_t D = (size_t)d;
    double *CR = a->observed.CR, *W = a->shared_w ? a->W : a->W_pattern + q * d * d;
    int64_t m = 0;
    const vdi_status status = vdi__lds_pattern_factor(p, a, q, &m, err);
    if (status < 0) return status;
    const size_t M = (size_t)m;
    const double logdet =
        vdi_cholesky_logdet(VDI_F64, M, a->observed.factor, M) + (double)m * VDI_LOG_2PI;
    /* whitened read-out L^{-1} C_o, so that W is a square and h a product of whitened things */
    for (int64_t i = 0; i < m; i++)
        memcpy(CR + i * d, p->C + seen[i] * d, D * sizeof(double));
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, M, D, a->observed.factor, M, CR, D);
    vdi_gemm(VDI_F64, VDI_GEMM_TA, D, D, M, CR, D, CR, D, W, D);
    for (int64_t at = a->pattern.start[q]; at < last; at += VDI__LDS_CHUNK)
        vdi__lds_observe_rows(a, at, VDI__MIN(last - at, VDI__LDS_CHUNK), m, logdet);
    return VDI_OK;
}

VDI__FN vdi_status vdi__lds_observe_patterns(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    const int64_t dd = a->d * a->d;
    vdi_status status = VDI_OK;
    for (int64_t q = 0; status == VDI_OK && q < a->pattern.count; q++)
        status = vdi__lds_observe_pattern(p, a, q, err);
    for (int64_t i = 0; !a->shared_w && i < a->lane.count * a->T; i++) {
        const int64_t q = a->pattern.in_lane[i];
        if (q >= 0)
            memcpy(a->W + i * dd, a->W_pattern + q * dd, (size_t)dd * sizeof(double));
        else
            memset(a->W + i * dd, 0, (size_t)dd * sizeof(double));
    }
    return status;
}

VDI__FN const double *vdi__lds_w(const vdi_lds_data *a, int64_t lane, int64_t t) {
    return a->shared_w ? a->W : a->W + (lane * a->T + t) * a->d * a->d;
}

/* Observations into W, yd and ll; the state inputs c_t = B u_t (c_1 = x0) into c, by slots. */
VDI__FN vdi_status vdi__lds_observe(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    const size_t d = (size_t)a->d, U = (size_t)a->inputs;
    vdi_status status = VDI_OK;
    vdi__lds_residual(p, a);
    memset(a->ll, 0, (size_t)a->trials * sizeof(double));
    if (p->desc.diagonal_r)
        vdi__lds_observe_diagonal(p, a);
    else
        status = vdi__lds_observe_patterns(p, a, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < a->trials; i++) {
        double *c = vdi__lds_slot(a, a->c, i);
        if (U > 0) {
            vdi_gemm(VDI_F64, VDI_GEMM_TB, (size_t)a->T, d, U, a->u + i * a->T * a->inputs, U, p->B,
                     U, c, d);
        }
        if (a->lengths[i] > 0) memcpy(c, p->x0, d * sizeof(double));
    }
    return VDI_OK;
}

/* ---- the block-tridiagonal route --------------------------------------------------------------- */

/* Precision of every lane: the prior's blocks and W. */
VDI__FN void vdi__lds_precision(vdi_lds_data *a, const vdi__chain_prior *prior) {
    const int64_t dd = a->d * a->d, T = a->T;
    for (int64_t g = 0; g < a->lane.count; g++) {
        for (int64_t t = 0; t < a->lane.lengths[g]; t++) {
            double *D = a->D + (g * T + t) * dd;
            const double *W = vdi__lds_w(a, g, t), *own = t == 0 ? prior->Q0i : prior->Qi;
            const bool last = t + 1 == a->lane.lengths[g];
            for (int64_t i = 0; i < dd; i++)
                D[i] = W[i] + own[i] + (last ? 0 : prior->AQA[i]);
            if (!last)
                memcpy(a->E + (g * (T - 1) + t) * dd, prior->QA, (size_t)dd * sizeof(double));
        }
    }
}

/* Precision times mean of a trial into h, and what the prior adds to log p(y). */
VDI__FN void vdi__lds_information(const vdi_lds *p, vdi_lds_data *a, const vdi__chain_prior *prior,
                                  int64_t trial) {
    const int64_t d = a->d, length = a->lengths[trial];
    const size_t D = (size_t)d;
    double *h = vdi__lds_slot(a, a->h, trial), *c = vdi__lds_slot(a, a->c, trial);
    double *v = prior->rest; /* Q^{-1} c_t */
    if (length == 0) return;
    memcpy(h, a->yd + trial * a->T * d, (size_t)(length * d) * sizeof(double));
    vdi_axpby(VDI_F64, D, 1, prior->hx, 1, h);
    a->ll[trial] -= 0.5 * (prior->logdet_0 + (double)(length - 1) * prior->logdet_q +
                           vdi_dot(VDI_F64, D, prior->hx, p->x0));
    for (int64_t t = 1; a->inputs > 0 && t < length; t++) {
        vdi_gemv(VDI_F64, 0, D, D, prior->Qi, D, c + t * d, v);
        vdi_axpby(VDI_F64, D, 1, v, 1, h + t * d);
        vdi_gemv(VDI_F64, VDI_GEMM_TA | VDI_GEMM_ACC, D, D, prior->QA, D, c + t * d,
                 h + (t - 1) * d);
        a->ll[trial] -= 0.5 * vdi_dot(VDI_F64, D, v, c + t * d);
    }
}

/* The posterior of every trial: after it, m (rows,lanes,T,d) holds means, S and O the covariances
 * (if wanted), ll log p(y). */
VDI__FN vdi_status vdi__lds_posterior(const vdi_lds *p, vdi_lds_data *a, bool covariances,
                                      vdi_error *err) {
    const vdi__chain chain = vdi__lds_chain(p);
    const vdi_blocktri_desc systems = vdi__lds_systems(a);
    vdi__chain_prior prior = VDI__ZERO;
    vdi_status status = vdi__lds_observe(p, a, err);
    if (status == VDI_OK) status = vdi__chain_prior_of(&chain, a->prior, &prior, err);
    if (status < 0) return status;
    vdi__lds_precision(a, &prior);
    for (int64_t i = 0; i < a->trials; i++)
        vdi__lds_information(p, a, &prior, i);
    status = vdi_blocktri_init(&a->bt, &systems, a->route, a->bt_size, err);
    if (status >= 0) status = vdi_blocktri_factor(&a->bt, a->D, a->E, err);
    if (status < 0) return status;
    vdi_blocktri_logdet(&a->bt, a->logdet);
    vdi_blocktri_solve(&a->bt, a->lane.rows, a->h, a->m);
    if (covariances) vdi_blocktri_marginals(&a->bt, a->S, a->O);
    for (int64_t i = 0; i < a->trials; i++) {
        double quad = vdi_dot(VDI_F64, (size_t)(a->lengths[i] * a->d), vdi__lds_slot(a, a->h, i),
                              vdi__lds_slot(a, a->m, i));
        if (a->lengths[i] > 0) a->ll[i] += 0.5 * (quad - a->logdet[a->lane.of[i]]);
        if (!vdi__is_finite(a->ll[i])) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_lds",
                                 "log likelihood of trial %lld is %g", (long long)i, a->ll[i]);
        }
    }
    return VDI_OK;
}

/* Means by slots -> by trials */
VDI__FN void vdi__lds_unslot(const vdi_lds_data *a, double *slots, double *out) {
    size_t bytes = (size_t)(a->T * a->d) * sizeof(double);
    for (int64_t i = 0; out && i < a->trials; i++)
        memcpy(out + i * a->T * a->d, vdi__lds_slot(a, slots, i), bytes);
}

/* ---- the Kalman route -------------------------------------------------------------------------- */

VDI__FN vdi_status vdi__lds_filter(const vdi_lds *p, vdi_lds_data *a, const vdi_lds_moments *out,
                                   vdi_error *err) {
    const int64_t dd = a->d * a->d;
    const size_t cov = vdi__lds_covariances(a) * sizeof(double);
    const vdi_kalman_desc kd = vdi__lds_kalman(a);
    vdi_status status = vdi__lds_observe(p, a, err);
    if (status < 0) return status;
    if (a->shared_w) { /* the filter reads one W per bin; D is free here */
        for (int64_t i = 0; i < a->lane.count * a->T; i++)
            memcpy(a->D + i * dd, a->W, (size_t)dd * sizeof(double));
    }
    for (int64_t i = 0; i < a->trials; i++) {
        memcpy(vdi__lds_slot(a, a->h, i), a->yd + i * a->T * a->d,
               (size_t)(a->T * a->d) * sizeof(double));
    }
    status = vdi_kalman_filter(&kd, p->A, p->Q, p->Q0, a->shared_w ? a->D : a->W, a->h, a->c,
                               a->kalman_work, a->kmp, a->kPp, a->kmf, a->kPf, a->slot_ll, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < a->trials; i++)
        a->ll[i] += a->slot_ll[a->lane.row_of[i] * a->lane.count + a->lane.of[i]];
    vdi__lds_unslot(a, a->kmp, out->mp);
    vdi__lds_unslot(a, a->kmf, out->mf);
    if (out->Pp) memcpy(out->Pp, a->kPp, cov);
    if (out->Pf) memcpy(out->Pf, a->kPf, cov);
    if (!out->kalman || (!out->ms && !out->Ps && !out->Pc)) return VDI_OK;
    return vdi_kalman_smooth(&kd, p->A, a->kmp, a->kPp, a->kmf, a->kPf, a->kalman_work, a->m, a->S,
                             a->O, err);
}

/* ---- API --------------------------------------------------------------------------------------- */

VDI__DEF vdi_status vdi_lds_smooth(const vdi_lds *lds, vdi_lds_data *data,
                                   const vdi_lds_moments *out, vdi_error *err) {
    const size_t covs = vdi__lds_covariances(data), d = (size_t)data->d;
    const size_t lagged = covs - (size_t)data->lane.count * d * d;
    const bool filter = out->kalman || out->mp || out->Pp || out->mf || out->Pf;
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_smooth", err);
    if (status == VDI_OK && filter) status = vdi__lds_filter(lds, data, out, err);
    if (status == VDI_OK && !out->kalman)
        status = vdi__lds_posterior(lds, data, out->Ps || out->Pc, err);
    if (status < 0) return status;
    vdi__lds_unslot(data, data->m, out->ms);
    if (out->Ps) memcpy(out->Ps, data->S, covs * sizeof(double));
    if (out->Pc && data->T > 1) memcpy(out->Pc, data->O, lagged * sizeof(double));
    if (out->ll) memcpy(out->ll, data->ll, (size_t)data->trials * sizeof(double));
    return VDI_OK;
}

VDI__DEF vdi_status vdi_lds_log_likelihood(const vdi_lds *lds, vdi_lds_data *data, double *ll,
                                           double *sum, vdi_error *err) {
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_log_likelihood", err);
    if (status == VDI_OK) status = vdi__lds_posterior(lds, data, false, err);
    if (status < 0) return status;
    if (ll) memcpy(ll, data->ll, (size_t)data->trials * sizeof(double));
    if (sum) *sum = vdi_sum(VDI_F64, (size_t)data->trials, data->ll);
    return VDI_OK;
}
#endif
