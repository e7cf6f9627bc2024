/* model/lds/smooth.h - the exact posterior of a linear dynamical system's latents, and log p(y)
 *
 * Do this:
 *     vdi_lds_moments out = {0};
 *     out.ms = means;                                    (trials,T,d)
 *     vdi_lds_smooth(lds, data, &out, &err);
 *     vdi_lds_log_likelihood(lds, data, NULL, &log_likelihood, &err);
 *
 * Two routes lead to the moments and are tested against each other: the block-tridiagonal solver
 * (default) and the Kalman filter with RTS smoother. A third, by roots of covariances, is taken by
 * itself where Q, Q0 or R is semidefinite or so thin beside what it is added to that the others
 * would lose half their digits (exact.h): a known start, an autoregression, sums without noise.
 * Trials that share covariances (lanes.h) share one sequence; all lanes go through the same batched
 * kernels.
 * Memory: none is allocated. Source of the formulas: docs/guide/lds.md.
 */
#ifndef VDI_MODEL_LDS_SMOOTH_H
#define VDI_MODEL_LDS_SMOOTH_H
#include "data.h"
#include "exact.h"

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
 * Their information W_t (d,d), C' R^{-1} (y - b - D u) into yd, and into ll what no latent changes,
 * -1/2 (n_t log 2 pi + log|R_t|). */

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

/* Diagonal R: W_t = sum over observed channels of C_j C_j' / R_jj. */
VDI__FN void vdi__lds_observe_diagonal(const vdi_lds *p, vdi_lds_data *a) {
    const int64_t n = a->n, d = a->d, dd = d * d;
    const size_t N = (size_t)n, D = (size_t)d, rows = (size_t)(a->trials * a->T);
    double *CR = a->observed.CR, *CC = a->observed.CC, *rinv = a->observed.rinv;
    for (int64_t j = 0; j < n; j++) {
        rinv[j] = 1 / p->R[j * n + j];
        a->observed.logr[j] = log(p->R[j * n + j]) + VDI_LOG_2PI;
        for (int64_t k = 0; k < d; k++) {
            CR[j * d + k] = p->C[j * d + k] * rinv[j];
            a->observed.minus_CR[j * d + k] = -p->C[j * d + k];
        }
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
        a->ll[i] -= 0.5 * vdi_dot(VDI_F64, N, a->channel_count + i * n, a->observed.logr);
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

/* Bins that follow each other in a pattern and in a trial. */
typedef struct vdi__lds_run {
    int64_t trial, t, rows;
} vdi__lds_run;

/* The run that begins at a place in pattern.bins, and ends before `last`. */
VDI__FN vdi__lds_run vdi__lds_run_at(const vdi_lds_data *a, int64_t place, int64_t last) {
    const int64_t *bin = a->pattern.bins + place, slot = bin[0] / a->T;
    vdi__lds_run r;
    r.trial = a->lane.trial_at[slot];
    r.t = bin[0] - slot * a->T;
    r.rows = 1;
    while (place + r.rows < last && r.t + r.rows < a->T && bin[r.rows] == bin[0] + r.rows)
        r.rows++;
    return r;
}

/* Y (rows,m) = the m seen channels of x (rows,n) */
VDI__FN void vdi__lds_gather(const vdi_lds_data *a, int64_t rows, int64_t m, const double *x,
                             double *Y) {
    const int64_t n = a->n, *seen = a->observed.seen;
    if (m == n) {
        memcpy(Y, x, (size_t)(rows * n) * sizeof *Y);
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < m; i++)
            Y[r * m + i] = x[r * n + seen[i]];
    }
}

/* The factor of a pattern, and its whitened read-out CR (m,d) = L^{-1} C_o, so that W is a square
 * and h a product of whitened things. */
VDI__FN vdi_status vdi__lds_pattern_readout(const vdi_lds *p, vdi_lds_data *a, int64_t q,
                                            int64_t *m, vdi_error *err) {
    const size_t d = (size_t)a->d;
    double *CR = a->observed.CR;
    const vdi_status status = vdi__lds_pattern_factor(p, a, q, m, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < *m; i++)
        memcpy(CR + i * a->d, p->C + a->observed.seen[i] * a->d, d * sizeof(double));
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, (size_t)*m, d, a->observed.factor, (size_t)*m, CR, d);
    return VDI_OK;
}

/* Places `at` to `end` of a pattern with m channels: the whitened Y = L^{-1} yt, and yd = Y CR. */
VDI__FN void vdi__lds_observe_rows(vdi_lds_data *a, int64_t at, int64_t end, int64_t m, double *Y,
                                   double logdet) {
    const int64_t n = a->n, d = a->d;
    const size_t M = (size_t)m, D = (size_t)d, rows = (size_t)(end - at);
    double *X = a->observed.X;
    vdi__lds_run r;
    for (int64_t k = at; k < end; k += r.rows) {
        r = vdi__lds_run_at(a, k, end);
        vdi__lds_gather(a, r.rows, m, a->yt + (r.trial * a->T + r.t) * n, Y + (k - at) * m);
        a->ll[r.trial] -= 0.5 * (double)r.rows * logdet;
    }
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, M, rows, a->observed.factor, M, Y, M);
    vdi_gemm(VDI_F64, 0, rows, D, M, Y, M, a->observed.CR, D, X, D);
    for (int64_t k = at; k < end; k += r.rows) {
        r = vdi__lds_run_at(a, k, end);
        memcpy(a->yd + (r.trial * a->T + r.t) * d, X + (k - at) * d,
               (size_t)(r.rows * d) * sizeof(double));
    }
}

/* Full R: the rows of a pattern's bins are gathered, so that it is a few matrix products. */
VDI__FN vdi_status vdi__lds_observe_pattern(const vdi_lds *p, vdi_lds_data *a, int64_t q,
                                            vdi_error *err) {
    const int64_t first = a->pattern.start[q], last = a->pattern.start[q + 1];
    const size_t d = (size_t)a->d;
    const double *CR = a->observed.CR;
    double *Y = a->white + first * a->n;
    int64_t m = 0;
    const vdi_status status = vdi__lds_pattern_readout(p, a, q, &m, err);
    if (status < 0) return status;
    const size_t M = (size_t)m;
    const double logdet =
        vdi_cholesky_logdet(VDI_F64, M, a->observed.factor, M) + (double)m * VDI_LOG_2PI;
    double *W = a->shared_w ? a->W : a->W_pattern + q * a->d * a->d;
    vdi_gemm(VDI_F64, VDI_GEMM_TA, d, d, M, CR, d, CR, d, W, d);
    for (int64_t at = first; at < last; at += VDI__LDS_CHUNK) {
        vdi__lds_observe_rows(a, at, VDI__MIN(last, at + VDI__LDS_CHUNK), m, Y + (at - first) * m,
                              logdet);
    }
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

/* The state inputs c_t = B u_t (c_1 = x0) into c, by slots. */
VDI__FN void vdi__lds_state_inputs(const vdi_lds *p, vdi_lds_data *a) {
    const size_t d = (size_t)a->d, U = (size_t)a->inputs;
    for (int64_t i = 0; i < a->trials; i++) {
        double *c = vdi__lds_slot(a, a->c, i);
        if (U > 0) {
            vdi_gemm(VDI_F64, VDI_GEMM_TB, (size_t)a->T, d, U, a->u + i * a->T * a->inputs, U, p->B,
                     U, c, d);
        }
        if (a->lengths[i] > 0) memcpy(c, p->x0, d * sizeof(double));
    }
}

/* Observations into W, yd and ll, state inputs into c. */
VDI__FN vdi_status vdi__lds_observe(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    vdi__lds_residual(p, a);
    vdi__lds_state_inputs(p, a);
    memset(a->ll, 0, (size_t)a->trials * sizeof(double));
    if (!p->desc.diagonal_r) return vdi__lds_observe_patterns(p, a, err);
    vdi__lds_observe_diagonal(p, a);
    return VDI_OK;
}

/* ---- log p(y) ----------------------------------------------------------------------------------
 * With z the posterior mean and |J| the determinant of the posterior precision,
 *
 *     log p(y) = log p(y, z) + T d / 2 log 2 pi - 1/2 log|J|,
 *
 * a sum of squares of residuals, each of the size of its noise. (Sums of y'R^{-1}y and of
 * h'J^{-1}h, whose difference it is too, grow with the square of whatever level the data stand
 * at.) */

/* -1/2 |L^{-1} (y - C z - D u - b)|^2 of a trial for a diagonal R. */
VDI__FN void vdi__lds_diagonal_squares(vdi_lds_data *a, int64_t trial) {
    const size_t n = (size_t)a->n, d = (size_t)a->d, rows = (size_t)a->lengths[trial];
    double *r = a->yt + trial * a->T * a->n, *sum = a->observed.shift;
    const double *mask = a->lane.mask ? a->lane.mask + a->lane.of[trial] * a->T * a->n : NULL;
    vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, rows, n, d, vdi__lds_slot(a, a->m, trial), d,
             a->observed.minus_CR, d, r, n);
    vdi_binary(VDI_F64, VDI_MUL, rows * n, r, 1, r, 1, r);
    if (mask) vdi_binary(VDI_F64, VDI_MUL, rows * n, r, 1, mask, 1, r);
    vdi_sum_rows(VDI_F64, rows, n, r, n, false, sum);
    a->ll[trial] -= 0.5 * vdi_dot(VDI_F64, n, sum, a->observed.rinv);
}

/* ... of the places `at` to `end` of a pattern with m channels, whose whitened rows are Y. */
VDI__FN void vdi__lds_row_squares(vdi_lds_data *a, int64_t at, int64_t end, int64_t m, double *Y) {
    const int64_t d = a->d;
    const size_t M = (size_t)m, D = (size_t)d;
    double *X = a->observed.X;
    vdi__lds_run r;
    for (int64_t k = at; k < end; k += r.rows) {
        r = vdi__lds_run_at(a, k, end);
        memcpy(X + (k - at) * d, vdi__lds_slot(a, a->m, r.trial) + r.t * d,
               (size_t)(r.rows * d) * sizeof(double));
    }
    vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, (size_t)(end - at), M, D, X, D,
             a->observed.minus_CR, D, Y, M);
    for (int64_t k = at; k < end; k += r.rows) {
        const double *e = Y + (k - at) * m;
        r = vdi__lds_run_at(a, k, end);
        a->ll[r.trial] -= 0.5 * vdi_dot(VDI_F64, (size_t)(r.rows * m), e, e);
    }
}

VDI__FN vdi_status vdi__lds_pattern_squares(const vdi_lds *p, vdi_lds_data *a, int64_t q,
                                            vdi_error *err) {
    const int64_t first = a->pattern.start[q], last = a->pattern.start[q + 1];
    double *Y = a->white + first * a->n;
    int64_t m = 0;
    const vdi_status status = vdi__lds_pattern_readout(p, a, q, &m, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < m * a->d; i++)
        a->observed.minus_CR[i] = -a->observed.CR[i];
    for (int64_t at = first; at < last; at += VDI__LDS_CHUNK) {
        vdi__lds_row_squares(a, at, VDI__MIN(last, at + VDI__LDS_CHUNK), m, Y + (at - first) * m);
    }
    return VDI_OK;
}

/* -1/2 |L^{-1} (z_t - A z_{t-1} - B u_t)|^2 of a trial, and of z_1 - x0. yd is scratch now. */
VDI__FN void vdi__lds_chain_squares(const vdi_lds *p, vdi_lds_data *a,
                                    const vdi__chain_prior *prior, int64_t trial) {
    const int64_t d = a->d, length = a->lengths[trial];
    const size_t D = (size_t)d, steps = (size_t)(length - 1);
    const double *z = vdi__lds_slot(a, a->m, trial), *c = vdi__lds_slot(a, a->c, trial);
    double *e = a->yd + trial * a->T * d, *minus_A = prior->rest;
    if (length == 0) return;
    memcpy(e, z, (size_t)(length * d) * sizeof(double));
    for (size_t i = 0; i < D * D; i++)
        minus_A[i] = -p->A[i];
    vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, steps, D, D, z, D, minus_A, D, e + d, D);
    if (a->inputs > 0) vdi_binary(VDI_F64, VDI_SUB, steps * D, e + d, 1, c + d, 1, e + d);
    vdi_binary(VDI_F64, VDI_SUB, D, e, 1, p->x0, 1, e);
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, D, 1, prior->L0, D, e, D);
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, D, steps, prior->Lq, D, e + d, D);
    a->ll[trial] -= 0.5 * vdi_dot(VDI_F64, (size_t)(length * d), e, e);
}

/* ll of every trial, from what vdi__lds_observe left there, the means and the determinants:
 * `logdet` (lanes) is log|J| + log|Q0| + (T-1) log|Q|. */
VDI__FN vdi_status vdi__lds_score(const vdi_lds *p, vdi_lds_data *a, const vdi__chain_prior *prior,
                                  const double *logdet, vdi_error *err) {
    vdi_status status = VDI_OK;
    for (int64_t q = 0; status == VDI_OK && !a->diagonal_r && q < a->pattern.count; q++)
        status = vdi__lds_pattern_squares(p, a, q, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < a->trials; i++) {
        if (a->diagonal_r) vdi__lds_diagonal_squares(a, i);
        vdi__lds_chain_squares(p, a, prior, i);
        if (a->lengths[i] > 0) a->ll[i] -= 0.5 * logdet[a->lane.of[i]];
        if (!vdi__is_finite(a->ll[i])) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_lds",
                                 "log likelihood of trial %lld is %g", (long long)i, a->ll[i]);
        }
    }
    return VDI_OK;
}

/* ---- the block-tridiagonal route ------------------------------------------------------------- */

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

/* Precision times mean of a trial into h. */
VDI__FN void vdi__lds_information(vdi_lds_data *a, const vdi__chain_prior *prior, int64_t trial) {
    const int64_t d = a->d, length = a->lengths[trial];
    const size_t D = (size_t)d;
    double *h = vdi__lds_slot(a, a->h, trial), *c = vdi__lds_slot(a, a->c, trial);
    double *v = prior->rest; /* Q^{-1} c_t */
    if (length == 0) return;
    memcpy(h, a->yd + trial * a->T * d, (size_t)(length * d) * sizeof(double));
    vdi_axpby(VDI_F64, D, 1, prior->hx, 1, h);
    for (int64_t t = 1; a->inputs > 0 && t < length; t++) {
        vdi_gemv(VDI_F64, 0, D, D, prior->Qi, D, c + t * d, v);
        vdi_axpby(VDI_F64, D, 1, v, 1, h + t * d);
        vdi_gemv(VDI_F64, VDI_GEMM_TA | VDI_GEMM_ACC, D, D, prior->QA, D, c + t * d,
                 h + (t - 1) * d);
    }
}

/* The posterior of every trial: after it, m (rows,lanes,T,d) holds means, S and O the covariances
 * (if wanted), ll log p(y). */
VDI__FN vdi_status vdi__lds_posterior(const vdi_lds *p, vdi_lds_data *a, bool covariances,
                                      vdi_error *err) {
    const vdi__chain chain = vdi__lds_chain(p);
    const vdi_blocktri_desc systems = vdi__lds_systems(a);
    vdi__chain_prior prior = VDI__ZERO;
    if (vdi__lds_is_thin(p, a)) {
        vdi__lds_residual(p, a);
        vdi__lds_state_inputs(p, a);
        return vdi__lds_exact(p, a, covariances, err);
    }
    vdi_status status = vdi__lds_observe(p, a, err);
    if (status == VDI_OK) status = vdi__chain_prior_of(&chain, a->prior, &prior, err);
    if (status < 0) return status;
    vdi__lds_precision(a, &prior);
    for (int64_t i = 0; i < a->trials; i++)
        vdi__lds_information(a, &prior, i);
    status = vdi_blocktri_init(&a->bt, &systems, a->route, a->bt_size, err);
    if (status >= 0) status = vdi_blocktri_factor(&a->bt, a->D, a->E, err);
    if (status < 0) return status;
    vdi_blocktri_logdet(&a->bt, a->logdet);
    vdi_blocktri_solve(&a->bt, a->lane.rows, a->h, a->m);
    if (covariances) vdi_blocktri_marginals(&a->bt, a->S, a->O);
    for (int64_t g = 0; g < a->lane.count; g++) {
        const double steps = (double)(a->lane.lengths[g] - 1);
        a->logdet[g] += prior.logdet_0 + steps * prior.logdet_q;
    }
    return vdi__lds_score(p, a, &prior, a->logdet, err);
}

/* Means by slots -> by trials */
VDI__FN void vdi__lds_unslot(const vdi_lds_data *a, double *slots, double *out) {
    size_t bytes = (size_t)(a->T * a->d) * sizeof(double);
    for (int64_t i = 0; out && i < a->trials; i++)
        memcpy(out + i * a->T * a->d, vdi__lds_slot(a, slots, i), bytes);
}

/* ---- the Kalman route ------------------------------------------------------------------------ */

/* What was observed into the filter's arrays, by slots. */
VDI__FN void vdi__lds_filter_inputs(vdi_lds_data *a) {
    const int64_t dd = a->d * a->d;
    for (int64_t i = 0; a->shared_w && i < a->lane.count * a->T; i++) {
        /* the filter reads one W per bin; D is free here */
        memcpy(a->D + i * dd, a->W, (size_t)dd * sizeof(double));
    }
    for (int64_t i = 0; i < a->trials; i++) {
        memcpy(vdi__lds_slot(a, a->h, i), a->yd + i * a->T * a->d,
               (size_t)(a->T * a->d) * sizeof(double));
    }
}

VDI__FN vdi_status vdi__lds_filter(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    const vdi_kalman_desc kd = vdi__lds_kalman(a);
    const vdi_status status = vdi__lds_observe(p, a, err);
    if (status < 0) return status;
    vdi__lds_filter_inputs(a);
    return vdi_kalman_filter(&kd, p->A, p->Q, p->Q0, a->shared_w ? a->D : a->W, a->h, a->c,
                             a->kalman_work, a->kmp, a->kPp, a->kmf, a->kPf, a->logdet, err);
}

/* What a filter left. */
VDI__FN void vdi__lds_filter_out(const vdi_lds_data *a, const vdi_lds_moments *out) {
    const size_t cov = vdi__lds_covariances(a) * sizeof(double);
    vdi__lds_unslot(a, a->kmp, out->mp);
    vdi__lds_unslot(a, a->kmf, out->mf);
    if (out->Pp) memcpy(out->Pp, a->kPp, cov);
    if (out->Pf) memcpy(out->Pf, a->kPf, cov);
}

/* The smoother after the filter, and ll: log|J| + log|Q0| + (T-1) log|Q| is the sum of log|Pp_t| -
 * log|Pf_t|. */
VDI__FN vdi_status vdi__lds_kalman_posterior(const vdi_lds *p, vdi_lds_data *a, bool score,
                                             vdi_error *err) {
    const vdi__chain chain = vdi__lds_chain(p);
    const vdi_kalman_desc kd = vdi__lds_kalman(a);
    vdi__chain_prior prior = VDI__ZERO;
    vdi_status status = vdi_kalman_smooth(&kd, p->A, a->kmp, a->kPp, a->kmf, a->kPf, a->kalman_work,
                                          a->m, a->S, a->O, err);
    if (status < 0 || !score) return status;
    status = vdi__chain_prior_of(&chain, a->prior, &prior, err);
    return status < 0 ? status : vdi__lds_score(p, a, &prior, a->logdet, err);
}

/* ---- API ------------------------------------------------------------------------------------- */

VDI__DEF vdi_status vdi_lds_smooth(const vdi_lds *lds, vdi_lds_data *data,
                                   const vdi_lds_moments *out, vdi_error *err) {
    const size_t covs = vdi__lds_covariances(data), d = (size_t)data->d;
    const size_t lagged = covs - (size_t)data->lane.count * d * d;
    const bool filter = out->kalman || out->mp || out->Pp || out->mf || out->Pf;
    const bool covariances = out->Ps || out->Pc;
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_smooth", err);
    if (status < 0) return status;
    if (vdi__lds_is_thin(lds, data)) {
        status = vdi__lds_posterior(lds, data, covariances, err);
        if (status == VDI_OK) vdi__lds_filter_out(data, out);
    } else {
        if (filter) status = vdi__lds_filter(lds, data, err);
        if (filter && status == VDI_OK) vdi__lds_filter_out(data, out);
        if (status == VDI_OK && out->kalman)
            status = vdi__lds_kalman_posterior(lds, data, out->ll != NULL, err);
        else if (status == VDI_OK)
            status = vdi__lds_posterior(lds, data, covariances, err);
    }
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
