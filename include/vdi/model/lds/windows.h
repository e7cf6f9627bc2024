/* model/lds/windows.h - the posterior of long trials, one window of bins at a time
 *
 * Nothing public. Of a trial of 10^6 bins the covariances alone would be gigabytes. A window has
 * the bins first .. first + W - 1 and, where the trial goes on, the first bin of the next. On the
 * way forward each is factorised; what is left of the precision of its last bin (and of h) is all
 * that the next needs, and is kept for every window. On the way back the last bin's precision is
 * set such that its marginal is the one that the window behind gave it:
 *     D_e + (S_e^{-1} - D^_e),   h_e + (S_e^{-1} m_e - h^_e)
 * with D^_e, h^_e as eliminated up to e. Where nothing is missing a window soon has the same
 * numbers as the one before it: then its factor and covariances are kept, and only means are
 * computed.
 * Memory: of one window, and of what stands between windows; h is taken in where the means go.
 */
#ifndef VDI_MODEL_LDS_WINDOWS_H
#define VDI_MODEL_LDS_WINDOWS_H
#include "observe.h"
#endif /* VDI_MODEL_LDS_WINDOWS_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_WINDOWS_C)
#define VDI_MODEL_LDS_WINDOWS_C

/* A matrix that moves by less than this part of its largest element has come to rest. */
#define VDI__LDS_REST 1e-14

/* Who gets the covariances of a stretch of bins of a lane: S (bins,d,d), and O (bins,d,d) of which
 * the trial's last bin has none. */
typedef struct vdi__lds_sink {
    vdi_status (*take)(void *user, int64_t lane, int64_t t, int64_t bins, const double *S,
                       const double *O, vdi_error *err);
    void *user;
} vdi__lds_sink;

/* ---- the systems ----------------------------------------------------------------------------- */

/* Bins that a lane has in window k; one that it shares with the next, is in both. */
VDI__FN int64_t vdi__lds_window_bins(const vdi_lds_data *a, int64_t lane, int64_t k) {
    const int64_t left = a->lane.lengths[lane] - k * a->window.bins;
    if (left < 1 || (k > 0 && left == 1)) return 0;
    return VDI__MIN(left, a->window.bins + 1);
}

VDI__FN bool vdi__lds_goes_on(const vdi_lds_data *a, int64_t lane, int64_t k) {
    return vdi__lds_window_bins(a, lane, k + 1) > 0;
}

/* Do all lanes go on after window k, and are they past their first bin? */
VDI__FN bool vdi__lds_inner(const vdi_lds_data *a, int64_t k) {
    for (int64_t g = 0; g < a->lane.count; g++)
        if (!vdi__lds_goes_on(a, g, k)) return false;
    return k > 0 && a->shared_w;
}

VDI__FN bool vdi__lds_at_rest(size_t count, const double *now, const double *before) {
    double largest = 0, moved = 0;
    for (size_t i = 0; i < count; i++) {
        largest = VDI__MAX(largest, fabs(before[i]));
        moved = VDI__MAX(moved, fabs(now[i] - before[i]));
    }
    return moved <= VDI__LDS_REST * largest;
}

/* The last block of a lane in an array (lanes,bins+1,d,d) of window k. */
VDI__FN double *vdi__lds_last_block(const vdi_lds_data *a, double *x, int64_t lane, int64_t k) {
    const int64_t last = vdi__lds_window_bins(a, lane, k) - 1;
    return x + (lane * (a->window.bins + 1) + last) * a->d * a->d;
}

VDI__FN double *vdi__lds_carry(const vdi_lds_data *a, int64_t k) {
    return a->window.carry_D + k * a->lane.count * a->d * a->d;
}

/* Where the means of a lane's row begin in an array (rows,lanes,bins+1,d) of a window, and what is
 * kept of them between windows. */
VDI__FN double *vdi__lds_window_slot(const vdi_lds_data *a, double *x, int64_t slot) {
    return x + slot * (a->window.bins + 1) * a->d;
}
VDI__FN double *vdi__lds_edge(const vdi_lds_data *a, double *x, int64_t k, int64_t slot) {
    return x + (k * a->lane.rows * a->lane.count + slot) * a->d;
}

/* The blocks of window k, of its first bin as the bins before leave it. */
VDI__FN void vdi__lds_window_blocks(vdi_lds_data *a, const vdi__chain_prior *prior, int64_t k) {
    const int64_t dd = a->d * a->d, W = a->window.bins;
    for (int64_t g = 0; g < a->lane.count; g++) {
        const int64_t bins = vdi__lds_window_bins(a, g, k), first = k * W;
        double *D = a->window.D + g * (W + 1) * dd, *E = a->window.E + g * W * dd;
        a->window.lengths[g] = bins;
        if (bins == 0) continue;
        if (!a->shared_w) vdi__lds_w_bins(a, g, first, bins, D);
        for (int64_t t = 0; t < bins; t++) {
            const double *own = first + t == 0 ? prior->Q0i : prior->Qi;
            const bool last = first + t + 1 == a->lane.lengths[g];
            double *block = D + t * dd;
            for (int64_t i = 0; i < dd; i++) {
                const double seen = a->shared_w ? a->W[i] : block[i];
                block[i] = seen + own[i] + (last ? 0 : prior->AQA[i]);
            }
            if (t + 1 < bins) memcpy(E + t * dd, prior->QA, (size_t)dd * sizeof *E);
        }
        if (k > 0) memcpy(D, vdi__lds_carry(a, k) + g * dd, (size_t)dd * sizeof *D);
    }
}

/* Its right-hand sides: h of its bins lies in m. */
VDI__FN void vdi__lds_window_means(vdi_lds_data *a, int64_t k) {
    const int64_t d = a->d, first = k * a->window.bins;
    const size_t d8 = (size_t)d * sizeof(double);
    for (int64_t i = 0; i < a->trials; i++) {
        const int64_t slot = a->lane.row_of[i] * a->lane.count + a->lane.of[i];
        const int64_t bins = vdi__lds_window_bins(a, a->lane.of[i], k);
        double *h = vdi__lds_window_slot(a, a->window.h, slot);
        memcpy(h, vdi__lds_slot(a, a->m, i) + first * d, (size_t)bins * d8);
        if (k > 0 && bins > 0) memcpy(h, vdi__lds_edge(a, a->window.carry_h, k, slot), d8);
    }
}

VDI__FN vdi_status vdi__lds_window_factor(vdi_lds_data *a, vdi_error *err) {
    vdi_blocktri_desc systems = vdi__lds_systems(a);
    systems.T = a->window.bins + 1;
    systems.lengths = a->window.lengths;
    const vdi_status status =
        vdi_blocktri_init(&a->bt, &systems, a->window.block, a->window.block_size, err);
    return status < 0 ? status : vdi_blocktri_factor(&a->bt, a->window.D, a->window.E, err);
}

/* ---- forward --------------------------------------------------------------------------------- */

/* What window k + 1 needs of the factor: D of its first bin, less what the bins before take from
 * it; and the determinant of the bins up to there. */
VDI__FN void vdi__lds_carry_factor(vdi_lds_data *a, int64_t k) {
    const size_t d = (size_t)a->d;
    vdi_blocktri_get_factor(&a->bt, a->window.S, NULL);
    vdi_blocktri_logdet(&a->bt, a->window.logdet);
    for (int64_t g = 0; g < a->lane.count; g++) {
        if (!vdi__lds_goes_on(a, g, k)) continue;
        const double *L = vdi__lds_last_block(a, a->window.S, g, k);
        double *next = vdi__lds_carry(a, k + 1) + g * a->d * a->d;
        vdi_gemm(VDI_F64, VDI_GEMM_TB, d, d, d, L, d, L, d, next, d);
        vdi__symmetrise(a->d, next);
        a->window.logdet[g] -= vdi_cholesky_logdet(VDI_F64, d, L, d);
    }
}

/* ... and h of its first bin; what the window has of it by itself is kept as well. */
VDI__FN void vdi__lds_carry_means(vdi_lds_data *a, int64_t k) {
    const int64_t d = a->d, W = a->window.bins;
    for (int64_t i = 0; i < a->trials; i++) {
        const int64_t g = a->lane.of[i], slot = a->lane.row_of[i] * a->lane.count + g;
        if (!vdi__lds_goes_on(a, g, k)) continue;
        const double *L = vdi__lds_last_block(a, a->window.S, g, k);
        const double *x = vdi__lds_window_slot(a, a->window.h, slot) + W * d;
        double *next = vdi__lds_edge(a, a->window.carry_h, k + 1, slot);
        memset(next, 0, (size_t)d * sizeof *next);
        vdi__lower_multiply_add(d, L, x, next);
        memcpy(vdi__lds_edge(a, a->window.own_h, k + 1, slot),
               vdi__lds_slot(a, a->m, i) + (k + 1) * W * d, (size_t)d * sizeof *next);
    }
}

VDI__FN vdi_status vdi__lds_forward(vdi_lds_data *a, const vdi__chain_prior *prior,
                                    vdi_error *err) {
    const size_t carried = (size_t)(a->lane.count * a->d * a->d);
    vdi_status status = VDI_OK;
    memset(a->logdet, 0, (size_t)a->lane.count * sizeof(double));
    for (int64_t k = 0; status == VDI_OK && k < a->window.count; k++) {
        const bool rest = vdi__lds_inner(a, k) && vdi__lds_inner(a, k - 1) &&
                          vdi__lds_at_rest(carried, vdi__lds_carry(a, k), vdi__lds_carry(a, k - 1));
        if (rest) {
            memcpy(vdi__lds_carry(a, k), vdi__lds_carry(a, k - 1), carried * sizeof(double));
            memcpy(vdi__lds_carry(a, k + 1), vdi__lds_carry(a, k), carried * sizeof(double));
        } else {
            vdi__lds_window_blocks(a, prior, k);
            status = vdi__lds_window_factor(a, err);
            if (status < 0) return status;
            vdi__lds_carry_factor(a, k);
        }
        for (int64_t g = 0; g < a->lane.count; g++)
            if (vdi__lds_window_bins(a, g, k) > 0) a->logdet[g] += a->window.logdet[g];
        vdi__lds_window_means(a, k);
        vdi_blocktri_solve_lower(&a->bt, a->lane.rows, a->window.h, a->window.h);
        vdi__lds_carry_means(a, k);
    }
    return status;
}

/* ---- back ------------------------------------------------------------------------------------ */

/* The last bin of each lane in window k that goes on is to have the marginal that window k + 1 gave
 * it, whose S are still there. */
VDI__FN vdi_status vdi__lds_behind(vdi_lds_data *a, int64_t k, vdi_error *err) {
    const int64_t dd = a->d * a->d;
    const size_t d = (size_t)a->d;
    for (int64_t g = 0; g < a->lane.count; g++) {
        if (!vdi__lds_goes_on(a, g, k)) continue;
        const double *S = a->window.S + g * (a->window.bins + 1) * dd;
        double *L = a->window.root, *inverse = a->window.behind + g * dd;
        const vdi_status status =
            vdi__covariance_factor("the covariance of a latent", a->d, S, L, err);
        if (status < 0) return status;
        vdi_cholesky_inverse(VDI_F64, d, L, d, inverse, d);
    }
    return VDI_OK;
}

VDI__FN void vdi__lds_behind_blocks(vdi_lds_data *a, int64_t k) {
    const int64_t dd = a->d * a->d;
    for (int64_t g = 0; g < a->lane.count; g++) {
        if (!vdi__lds_goes_on(a, g, k)) continue;
        double *D = vdi__lds_last_block(a, a->window.D, g, k);
        const double *carry = vdi__lds_carry(a, k + 1) + g * dd;
        for (int64_t i = 0; i < dd; i++)
            D[i] += a->window.behind[g * dd + i] - carry[i];
    }
}

VDI__FN void vdi__lds_behind_means(vdi_lds_data *a, int64_t k) {
    const int64_t d = a->d, W = a->window.bins;
    const size_t D = (size_t)d;
    for (int64_t i = 0; i < a->trials; i++) {
        const int64_t g = a->lane.of[i], slot = a->lane.row_of[i] * a->lane.count + g;
        if (!vdi__lds_goes_on(a, g, k)) continue;
        double *h = vdi__lds_window_slot(a, a->window.h, slot) + W * d;
        const double *own = vdi__lds_edge(a, a->window.own_h, k + 1, slot);
        const double *carry = vdi__lds_edge(a, a->window.carry_h, k + 1, slot);
        const double *m = vdi__lds_slot(a, a->m, i) + (k + 1) * W * d;
        vdi_gemv(VDI_F64, 0, D, D, a->window.behind + g * d * d, D, m, h);
        for (int64_t j = 0; j < d; j++)
            h[j] += own[j] - carry[j];
    }
}

/* The solution into m; the bin that is shared with the next window is there already. */
VDI__FN void vdi__lds_window_out(vdi_lds_data *a, int64_t k) {
    const int64_t d = a->d, W = a->window.bins;
    for (int64_t i = 0; i < a->trials; i++) {
        const int64_t g = a->lane.of[i], slot = a->lane.row_of[i] * a->lane.count + g;
        const int64_t bins =
            VDI__MIN(vdi__lds_window_bins(a, g, k), vdi__lds_goes_on(a, g, k) ? W : W + 1);
        memcpy(vdi__lds_slot(a, a->m, i) + k * W * d, vdi__lds_window_slot(a, a->window.h, slot),
               (size_t)(bins * d) * sizeof(double));
    }
}

VDI__FN vdi_status vdi__lds_window_give(vdi_lds_data *a, int64_t k, const vdi__lds_sink *sink,
                                        vdi_error *err) {
    const int64_t dd = a->d * a->d, W = a->window.bins;
    vdi_status status = VDI_OK;
    for (int64_t g = 0; status == VDI_OK && g < a->lane.count; g++) {
        const int64_t bins = vdi__lds_goes_on(a, g, k) ? W : vdi__lds_window_bins(a, g, k);
        if (bins == 0) continue;
        status = sink->take(sink->user, g, k * W, bins, a->window.S + g * (W + 1) * dd,
                            a->window.O + g * W * dd, err);
    }
    return status;
}

/* m of every trial, and the covariances to the sink (NULL: not wanted). */
VDI__FN vdi_status vdi__lds_back(vdi_lds_data *a, const vdi__chain_prior *prior,
                                 const vdi__lds_sink *sink, vdi_error *err) {
    const size_t carried = (size_t)(a->lane.count * a->d * a->d);
    double *before = a->window.before;
    vdi_status status = VDI_OK;
    bool known = false; /* of the window behind: its factor and S are there */
    for (int64_t k = a->window.count - 1; status == VDI_OK && k >= 0; k--) {
        const bool inner = vdi__lds_inner(a, k);
        memcpy(before, a->window.behind, carried * sizeof *before);
        status = vdi__lds_behind(a, k, err);
        if (status < 0) return status;
        const bool rest =
            known && inner && vdi__lds_at_rest(carried, a->window.behind, before) &&
            vdi__lds_at_rest(carried, vdi__lds_carry(a, k), vdi__lds_carry(a, k + 1)) &&
            vdi__lds_at_rest(carried, vdi__lds_carry(a, k + 1), vdi__lds_carry(a, k + 2));
        if (!rest) {
            vdi__lds_window_blocks(a, prior, k);
            vdi__lds_behind_blocks(a, k);
            status = vdi__lds_window_factor(a, err);
            if (status < 0) return status;
            vdi_blocktri_marginals(&a->bt, a->window.S, a->window.O);
        }
        known = inner;
        vdi__lds_window_means(a, k);
        vdi__lds_behind_means(a, k);
        vdi_blocktri_solve(&a->bt, a->lane.rows, a->window.h, a->window.h);
        vdi__lds_window_out(a, k);
        if (sink) status = vdi__lds_window_give(a, k, sink, err);
    }
    return status;
}

/* The posterior of every trial: m, ll, and the covariances to the sink. */
VDI__FN vdi_status vdi__lds_windows_posterior(const vdi_lds *p, vdi_lds_data *a,
                                              const vdi__lds_sink *sink, vdi_error *err) {
    const vdi__chain chain = vdi__lds_chain(p);
    vdi__chain_prior prior = VDI__ZERO;
    vdi_status status = vdi__lds_observe(p, a, a->m, err);
    if (status == VDI_OK) status = vdi__chain_prior_of(&chain, a->prior, &prior, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < a->trials; i++)
        vdi__lds_information(p, a, &prior, i, vdi__lds_slot(a, a->m, i));
    status = vdi__lds_forward(a, &prior, err);
    if (status == VDI_OK) status = vdi__lds_back(a, &prior, sink, err);
    if (status < 0) return status;
    for (int64_t g = 0; g < a->lane.count; g++) {
        const double steps = (double)(a->lane.lengths[g] - 1);
        a->logdet[g] += prior.logdet_0 + steps * prior.logdet_q;
    }
    return vdi__lds_score(p, a, &prior, a->logdet, err);
}
#endif
