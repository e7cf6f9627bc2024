/* model/lds/observe.h - the information that the observations give about a linear dynamical
 * system's latents, and log p(y) from the posterior mean
 *
 * Nothing public. Rows of y are processed in chunks that stay in the cache, so that no copy of the
 * size of the data is needed:
 *     h_t = C' R^{-1} (y_t - b - D u_t),   W_t = C' R^{-1} C
 * over the channels seen, and with z the posterior mean and |J| the determinant of the posterior's
 * precision
 *     log p(y) = log p(y, z) + T d / 2 log 2 pi - 1/2 log|J|,
 * a sum of squares of residuals, each of the size of its noise. (Sums of y'R^{-1}y and of
 * h'J^{-1}h, whose difference it is too, grow with the square of whatever level the data stand at.)
 */
#ifndef VDI_MODEL_LDS_OBSERVE_H
#define VDI_MODEL_LDS_OBSERVE_H
#include "data.h"
#endif /* VDI_MODEL_LDS_OBSERVE_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_OBSERVE_C)
#define VDI_MODEL_LDS_OBSERVE_C

/* ---- rows ------------------------------------------------------------------------------------ */

/* y_mean - b, as often as a chunk has rows. */
VDI__FN void vdi__lds_shift(const vdi_lds *p, vdi_lds_data *a) {
    const int64_t n = a->n;
    double *shift = a->observed.shift;
    for (int64_t j = 0; j < n; j++)
        shift[j] = a->y_mean[j] - p->b[j];
    for (int64_t r = 1; r < VDI__LDS_CHUNK; r++)
        memcpy(shift + r * n, shift, (size_t)n * sizeof *shift);
}

/* out (rows,n) = y - b - D u where observed, else 0; at most a chunk of rows. */
VDI__FN void vdi__lds_residual_rows(const vdi_lds *p, const vdi_lds_data *a, int64_t trial,
                                    int64_t t, int64_t rows, double *out) {
    const int64_t n = a->n, U = a->inputs, at = trial * a->T + t;
    const size_t count = (size_t)(rows * n);
    vdi_binary(VDI_F64, VDI_ADD, count, a->y + at * n, 1, a->observed.shift, 1, out);
    for (int64_t r = 0; U > 0 && r < rows; r++) {
        const double *u = a->u + (at + r) * U;
        for (int64_t j = 0; j < n; j++) {
            for (int64_t q = 0; q < U; q++)
                out[r * n + j] -= p->D[j * U + q] * u[q];
        }
    }
    if (!a->lane.mask) return;
    const double *mask = a->lane.mask + (a->lane.of[trial] * a->T + t) * n;
    vdi_binary(VDI_F64, VDI_MUL, count, out, 1, mask, 1, out);
}

/* All of them into yt. */
VDI__FN void vdi__lds_residual(const vdi_lds *p, vdi_lds_data *a) {
    vdi__lds_shift(p, a);
    for (int64_t i = 0; i < a->trials; i++) {
        for (int64_t t = 0; t < a->lengths[i]; t += VDI__LDS_CHUNK) {
            const int64_t rows = VDI__MIN(a->lengths[i] - t, VDI__LDS_CHUNK);
            vdi__lds_residual_rows(p, a, i, t, rows, a->yt + (i * a->T + t) * a->n);
        }
    }
}

/* out (rows,d) = B u of bins t .. of a trial. */
VDI__FN void vdi__lds_drift_rows(const vdi_lds *p, const vdi_lds_data *a, int64_t trial, int64_t t,
                                 int64_t rows, double *out) {
    const size_t d = (size_t)a->d, U = (size_t)a->inputs;
    vdi_gemm(VDI_F64, VDI_GEMM_TB, (size_t)rows, d, U, a->u + (trial * a->T + t) * a->inputs, U,
             p->B, U, out, d);
}

/* The state inputs c_t = B u_t (c_1 = x0) into c, by slots. */
VDI__FN void vdi__lds_state_inputs(const vdi_lds *p, vdi_lds_data *a) {
    for (int64_t i = 0; i < a->trials; i++) {
        double *c = vdi__lds_slot(a, a->c, i);
        if (a->inputs > 0) vdi__lds_drift_rows(p, a, i, 0, a->T, c);
        if (a->lengths[i] > 0) memcpy(c, p->x0, (size_t)a->d * sizeof(double));
    }
}

/* ---- R diagonal ------------------------------------------------------------------------------ */

VDI__FN void vdi__lds_readout_diagonal(const vdi_lds *p, vdi_lds_data *a) {
    const int64_t n = a->n, d = a->d, dd = d * d;
    const size_t N = (size_t)n, D = (size_t)d;
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
        return;
    }
    for (int64_t j = 0; j < n; j++) {
        for (int64_t k = 0; k < dd; k++)
            CC[j * dd + k] = p->C[j * d + k / d] * CR[j * d + k % d];
    }
}

VDI__FN void vdi__lds_observe_diagonal(const vdi_lds *p, vdi_lds_data *a, double *h) {
    const size_t n = (size_t)a->n, d = (size_t)a->d;
    double *Y = a->observed.Y;
    vdi__lds_readout_diagonal(p, a);
    for (int64_t i = 0; i < a->trials; i++) {
        double *to = vdi__lds_slot(a, h, i);
        for (int64_t t = 0; t < a->lengths[i]; t += VDI__LDS_CHUNK) {
            const int64_t rows = VDI__MIN(a->lengths[i] - t, VDI__LDS_CHUNK);
            vdi__lds_residual_rows(p, a, i, t, rows, Y);
            vdi_gemm(VDI_F64, 0, (size_t)rows, d, n, Y, n, a->observed.CR, d, to + t * a->d, d);
        }
        a->ll[i] -= 0.5 * vdi_dot(VDI_F64, n, a->channel_count + i * a->n, a->observed.logr);
    }
}

/* -1/2 |L^{-1} (y - C z - D u - b)|^2 of a trial whose means are z. */
VDI__FN void vdi__lds_diagonal_squares(const vdi_lds *p, vdi_lds_data *a, int64_t trial) {
    const size_t n = (size_t)a->n, d = (size_t)a->d;
    const double *z = vdi__lds_slot(a, a->m, trial);
    const double *mask = a->lane.mask ? a->lane.mask + a->lane.of[trial] * a->T * a->n : NULL;
    double *r = a->observed.Y, *sum = a->observed.squares;
    for (int64_t t = 0; t < a->lengths[trial]; t += VDI__LDS_CHUNK) {
        const size_t rows = (size_t)VDI__MIN(a->lengths[trial] - t, VDI__LDS_CHUNK);
        vdi__lds_residual_rows(p, a, trial, t, (int64_t)rows, r);
        vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, rows, n, d, z + t * a->d, d,
                 a->observed.minus_CR, d, r, n);
        vdi_binary(VDI_F64, VDI_MUL, rows * n, r, 1, r, 1, r);
        if (mask) vdi_binary(VDI_F64, VDI_MUL, rows * n, r, 1, mask + t * a->n, 1, r);
        vdi_sum_rows(VDI_F64, rows, n, r, n, t > 0, sum);
    }
    if (a->lengths[trial] > 0) a->ll[trial] -= 0.5 * vdi_dot(VDI_F64, n, sum, a->observed.rinv);
}

/* ---- R full: pattern by pattern -------------------------------------------------------------- */

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

/* Y (end-at,m) = the whitened residuals of places `at` to `end` of a pattern with m channels. */
VDI__FN void vdi__lds_whitened_rows(const vdi_lds *p, vdi_lds_data *a, int64_t at, int64_t end,
                                    int64_t m, double *Y) {
    const size_t M = (size_t)m;
    vdi__lds_run r;
    for (int64_t k = at; k < end; k += r.rows) {
        double *to = m == a->n ? Y + (k - at) * m : a->observed.whole;
        r = vdi__lds_run_at(a, k, end);
        vdi__lds_residual_rows(p, a, r.trial, r.t, r.rows, to);
        if (m < a->n) vdi__lds_gather(a, r.rows, m, to, Y + (k - at) * m);
    }
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, M, (size_t)(end - at), a->observed.factor, M,
             Y, M);
}

/* h of places `at` to `end`, and what no latent changes into ll. */
VDI__FN void vdi__lds_observe_rows(const vdi_lds *p, vdi_lds_data *a, int64_t at, int64_t end,
                                   int64_t m, double logdet, double *h) {
    const int64_t d = a->d;
    const size_t M = (size_t)m, D = (size_t)d;
    double *X = a->observed.X, *Y = a->observed.Y;
    vdi__lds_run r;
    vdi__lds_whitened_rows(p, a, at, end, m, Y);
    vdi_gemm(VDI_F64, 0, (size_t)(end - at), D, M, Y, M, a->observed.CR, D, X, D);
    for (int64_t k = at; k < end; k += r.rows) {
        r = vdi__lds_run_at(a, k, end);
        a->ll[r.trial] -= 0.5 * (double)r.rows * logdet;
        memcpy(vdi__lds_slot(a, h, r.trial) + r.t * d, X + (k - at) * d,
               (size_t)(r.rows * d) * sizeof(double));
    }
}

VDI__FN vdi_status vdi__lds_observe_patterns(const vdi_lds *p, vdi_lds_data *a, double *h,
                                             vdi_error *err) {
    const size_t d = (size_t)a->d;
    const double *CR = a->observed.CR;
    for (int64_t q = 0; q < a->pattern.count; q++) {
        const int64_t last = a->pattern.start[q + 1];
        int64_t m = 0;
        const vdi_status status = vdi__lds_pattern_readout(p, a, q, &m, err);
        if (status < 0) return status;
        const size_t M = (size_t)m;
        const double logdet =
            vdi_cholesky_logdet(VDI_F64, M, a->observed.factor, M) + (double)m * VDI_LOG_2PI;
        double *W = a->shared_w ? a->W : a->W_pattern + q * a->d * a->d;
        vdi_gemm(VDI_F64, VDI_GEMM_TA, d, d, M, CR, d, CR, d, W, d);
        for (int64_t at = a->pattern.start[q]; at < last; at += VDI__LDS_CHUNK)
            vdi__lds_observe_rows(p, a, at, VDI__MIN(last, at + VDI__LDS_CHUNK), m, logdet, h);
    }
    return VDI_OK;
}

/* -1/2 |L^{-1} (y - C z - D u - b)|^2 of the places `at` to `end` of a pattern. */
VDI__FN void vdi__lds_row_squares(const vdi_lds *p, vdi_lds_data *a, int64_t at, int64_t end,
                                  int64_t m) {
    const int64_t d = a->d;
    const size_t M = (size_t)m, D = (size_t)d;
    double *X = a->observed.X, *Y = a->observed.Y;
    vdi__lds_run r;
    vdi__lds_whitened_rows(p, a, at, end, m, Y);
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

VDI__FN vdi_status vdi__lds_pattern_squares(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    for (int64_t q = 0; q < a->pattern.count; q++) {
        const int64_t last = a->pattern.start[q + 1];
        int64_t m = 0;
        const vdi_status status = vdi__lds_pattern_readout(p, a, q, &m, err);
        if (status < 0) return status;
        for (int64_t i = 0; i < m * a->d; i++)
            a->observed.minus_CR[i] = -a->observed.CR[i];
        for (int64_t at = a->pattern.start[q]; at < last; at += VDI__LDS_CHUNK)
            vdi__lds_row_squares(p, a, at, VDI__MIN(last, at + VDI__LDS_CHUNK), m);
    }
    return VDI_OK;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* Observations into h, by slots, and ll; what is needed for vdi__lds_w_bins. */
VDI__FN vdi_status vdi__lds_observe(const vdi_lds *p, vdi_lds_data *a, double *h, vdi_error *err) {
    vdi__lds_shift(p, a);
    memset(a->ll, 0, (size_t)a->trials * sizeof(double));
    if (!p->desc.diagonal_r) return vdi__lds_observe_patterns(p, a, h, err);
    vdi__lds_observe_diagonal(p, a, h);
    return VDI_OK;
}

/* W (bins,d,d) of bins t .. of a lane; not where all bins share one. */
VDI__FN void vdi__lds_w_bins(const vdi_lds_data *a, int64_t lane, int64_t t, int64_t bins,
                             double *W) {
    const int64_t n = a->n, dd = a->d * a->d, at = lane * a->T + t;
    if (a->diagonal_r) {
        vdi_gemm(VDI_F64, 0, (size_t)bins, (size_t)dd, (size_t)n, a->lane.mask + at * n, (size_t)n,
                 a->observed.CC, (size_t)dd, W, (size_t)dd);
        return;
    }
    for (int64_t i = 0; i < bins; i++) {
        const int64_t q = a->pattern.in_lane[at + i];
        if (q >= 0)
            memcpy(W + i * dd, a->W_pattern + q * dd, (size_t)dd * sizeof(double));
        else
            memset(W + i * dd, 0, (size_t)dd * sizeof(double));
    }
}

/* h of a trial, which holds what the observations say, becomes the precision times the mean: the
 * prior's share is added. */
VDI__FN void vdi__lds_information(const vdi_lds *p, vdi_lds_data *a, const vdi__chain_prior *prior,
                                  int64_t trial, double *h) {
    const int64_t d = a->d, length = a->lengths[trial];
    const size_t D = (size_t)d;
    double *c = a->observed.X, *v = prior->rest; /* B u of a chunk; Q^{-1} c_t */
    if (length == 0) return;
    vdi_axpby(VDI_F64, D, 1, prior->hx, 1, h);
    for (int64_t t = 1; a->inputs > 0 && t < length; t++) {
        const int64_t r = (t - 1) % VDI__LDS_CHUNK;
        if (r == 0) vdi__lds_drift_rows(p, a, trial, t, VDI__MIN(length - t, VDI__LDS_CHUNK), c);
        vdi_gemv(VDI_F64, 0, D, D, prior->Qi, D, c + r * d, v);
        vdi_axpby(VDI_F64, D, 1, v, 1, h + t * d);
        vdi_gemv(VDI_F64, VDI_GEMM_TA | VDI_GEMM_ACC, D, D, prior->QA, D, c + r * d,
                 h + (t - 1) * d);
    }
}

/* -1/2 |L^{-1} (z_t - A z_{t-1} - B u_t)|^2 of a trial, and of z_1 - x0. */
VDI__FN void vdi__lds_chain_squares(const vdi_lds *p, vdi_lds_data *a,
                                    const vdi__chain_prior *prior, int64_t trial) {
    const int64_t d = a->d, length = a->lengths[trial];
    const size_t D = (size_t)d;
    const double *z = vdi__lds_slot(a, a->m, trial);
    double *e = a->observed.X, *c = a->observed.drift, *minus_A = prior->rest, sum = 0;
    if (length == 0) return;
    for (size_t i = 0; i < D * D; i++)
        minus_A[i] = -p->A[i];
    vdi_binary(VDI_F64, VDI_SUB, D, z, 1, p->x0, 1, e);
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, D, 1, prior->L0, D, e, D);
    sum += vdi_dot(VDI_F64, D, e, e);
    for (int64_t t = 1; t < length; t += VDI__LDS_CHUNK) {
        const size_t rows = (size_t)VDI__MIN(length - t, VDI__LDS_CHUNK);
        memcpy(e, z + t * d, rows * D * sizeof *e);
        vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, rows, D, D, z + (t - 1) * d, D, minus_A, D, e,
                 D);
        if (a->inputs > 0) {
            vdi__lds_drift_rows(p, a, trial, t, (int64_t)rows, c);
            vdi_binary(VDI_F64, VDI_SUB, rows * D, e, 1, c, 1, e);
        }
        vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, D, rows, prior->Lq, D, e, D);
        sum += vdi_dot(VDI_F64, rows * D, e, e);
    }
    a->ll[trial] -= 0.5 * sum;
}

/* ll of every trial, from what vdi__lds_observe left there, the means and the determinants:
 * `logdet` (lanes) is log|J| + log|Q0| + (T-1) log|Q|. */
VDI__FN vdi_status vdi__lds_score(const vdi_lds *p, vdi_lds_data *a, const vdi__chain_prior *prior,
                                  const double *logdet, vdi_error *err) {
    const vdi_status status = a->diagonal_r ? VDI_OK : vdi__lds_pattern_squares(p, a, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < a->trials; i++) {
        if (a->diagonal_r) vdi__lds_diagonal_squares(p, a, i);
        vdi__lds_chain_squares(p, a, prior, i);
        if (a->lengths[i] > 0) a->ll[i] -= 0.5 * logdet[a->lane.of[i]];
        if (!vdi__is_finite(a->ll[i])) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_lds",
                                 "log likelihood of trial %lld is %g", (long long)i, a->ll[i]);
        }
    }
    return VDI_OK;
}
#endif
