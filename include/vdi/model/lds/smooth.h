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
 * Long trials are processed in windows (lds.h, data_desc.window): smoothed means, covariances and
 * log p(y) then take memory for the means and one window.
 * Memory: none is allocated, but for filter moments of such trials, and where their model needs the
 * third route. Source of the formulas: docs/guide/lds.md.
 */
#ifndef VDI_MODEL_LDS_SMOOTH_H
#define VDI_MODEL_LDS_SMOOTH_H
#include "exact.h"
#include "windows.h"

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
/** The posterior of bins that follow each other: means ms (bins,d), covariances Ps (bins,d,d), and
 * Pc (bins,d,d) with Cov(z_{t+1}, z_t | y), which a trial's last bin does not have. */
typedef struct vdi_lds_stretch {
    int64_t trial;    /**< which */
    int64_t first;    /**< its first bin here, from 0 */
    int64_t bins;     /**< how many */
    const double *ms; /**< (bins,d) */
    const double *Ps; /**< (bins,d,d) */
    const double *Pc; /**< (bins,d,d) */
} vdi_lds_stretch;
/** Takes a stretch; what it returns below 0 ends the smoothing. */
typedef vdi_status (*vdi_lds_take_fn)(void *user, const vdi_lds_stretch *s, vdi_error *err);
/** Posterior moments, stretch by stretch, of each trial from its end to its beginning: for trials
 * whose covariances together would not fit into memory. ll (trials): log p(y), or NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_smooth_each(const vdi_lds *lds, vdi_lds_data *data,
                                                     vdi_lds_take_fn take, void *user, double *ll,
                                                     vdi_error *err);
/** log p(y) of each trial into ll (trials) (may be NULL), and its sum. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_log_likelihood(const vdi_lds *lds, vdi_lds_data *data,
                                                        double *ll, double *sum, vdi_error *err);

#endif /* VDI_MODEL_LDS_SMOOTH_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_SMOOTH_C)
#define VDI_MODEL_LDS_SMOOTH_C

/* ---- the block-tridiagonal route ------------------------------------------------------------- */

VDI__FN const double *vdi__lds_w(const vdi_lds_data *a, int64_t lane, int64_t t) {
    return a->shared_w ? a->W : a->W + (lane * a->T + t) * a->d * a->d;
}

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

/* W of every bin, where they differ. */
VDI__FN void vdi__lds_fill_w(vdi_lds_data *a) {
    for (int64_t g = 0; !a->shared_w && g < a->lane.count; g++)
        vdi__lds_w_bins(a, g, 0, a->T, a->W + g * a->T * a->d * a->d);
}

/* ... of whole trials: after it, m (rows,lanes,T,d) holds means, S and O the covariances (if
 * wanted), ll log p(y). */
VDI__FN vdi_status vdi__lds_whole_posterior(const vdi_lds *p, vdi_lds_data *a, bool covariances,
                                            vdi_error *err) {
    const vdi__chain chain = vdi__lds_chain(p);
    const vdi_blocktri_desc systems = vdi__lds_systems(a);
    vdi__chain_prior prior = VDI__ZERO;
    if (vdi__lds_is_thin(p, a)) {
        vdi__lds_residual(p, a);
        vdi__lds_state_inputs(p, a);
        return vdi__lds_exact(p, a, covariances, err);
    }
    vdi_status status = vdi__lds_observe(p, a, a->h, err);
    if (status == VDI_OK) status = vdi__chain_prior_of(&chain, a->prior, &prior, err);
    if (status < 0) return status;
    vdi__lds_fill_w(a);
    vdi__lds_precision(a, &prior);
    for (int64_t i = 0; i < a->trials; i++)
        vdi__lds_information(p, a, &prior, i, vdi__lds_slot(a, a->h, i));
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

/* The covariances of whole trials to the sink. */
VDI__FN vdi_status vdi__lds_give(const vdi_lds_data *a, const vdi__lds_sink *sink, vdi_error *err) {
    const int64_t dd = a->d * a->d;
    vdi_status status = VDI_OK;
    for (int64_t g = 0; sink && status == VDI_OK && g < a->lane.count; g++) {
        if (a->lane.lengths[g] == 0) continue;
        status = sink->take(sink->user, g, 0, a->lane.lengths[g], a->S + g * a->T * dd,
                            a->O + g * (a->T - 1) * dd, err);
    }
    return status;
}

/* The posterior of every trial: m (rows,lanes,T,d) gets means, ll log p(y), and the sink (NULL: not
 * wanted) the covariances. */
VDI__FN vdi_status vdi__lds_posterior(const vdi_lds *p, vdi_lds_data *a, const vdi__lds_sink *sink,
                                      vdi_error *err) {
    if (a->window.bins && !vdi__lds_is_thin(p, a))
        return vdi__lds_windows_posterior(p, a, sink, err);
    vdi_status status = vdi__lds_whole(a, err);
    if (status == VDI_OK) status = vdi__lds_whole_posterior(p, a, sink != NULL, err);
    return status < 0 ? status : vdi__lds_give(a, sink, err);
}

/* Means by slots -> by trials */
VDI__FN void vdi__lds_unslot(const vdi_lds_data *a, double *slots, double *out) {
    size_t bytes = (size_t)(a->T * a->d) * sizeof(double);
    for (int64_t i = 0; out && i < a->trials; i++)
        memcpy(out + i * a->T * a->d, vdi__lds_slot(a, slots, i), bytes);
}

/* ---- the Kalman route ------------------------------------------------------------------------ */

VDI__FN vdi_status vdi__lds_filter(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    const vdi_kalman_desc kd = vdi__lds_kalman(a);
    const vdi_status status = vdi__lds_observe(p, a, a->h, err);
    if (status < 0) return status;
    vdi__lds_fill_w(a);
    vdi__lds_state_inputs(p, a);
    return vdi_kalman_filter(&kd, p->A, p->Q, p->Q0, a->W, a->h, a->c, a->kalman_work, a->kmp,
                             a->kPp, a->kmf, a->kPf, a->logdet, err);
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
VDI__FN vdi_status vdi__lds_kalman_posterior(const vdi_lds *p, vdi_lds_data *a,
                                             const vdi_lds_moments *out, vdi_error *err) {
    const vdi__chain chain = vdi__lds_chain(p);
    const vdi_kalman_desc kd = vdi__lds_kalman(a);
    vdi__chain_prior prior = VDI__ZERO;
    vdi_status status = vdi_kalman_smooth(&kd, p->A, a->kmp, a->kPp, a->kmf, a->kPf, a->kalman_work,
                                          a->m, a->S, out->Pc ? a->O : NULL, err);
    if (status < 0 || !out->ll) return status;
    status = vdi__chain_prior_of(&chain, a->prior, &prior, err);
    return status < 0 ? status : vdi__lds_score(p, a, &prior, a->logdet, err);
}

/* ---- API ------------------------------------------------------------------------------------- */

/* Where a caller's covariances go. */
typedef struct vdi__lds_copies {
    const vdi_lds_data *data;
    double *Ps, *Pc;
} vdi__lds_copies;

VDI__FN vdi_status vdi__lds_copy_covariances(void *user, int64_t lane, int64_t t, int64_t bins,
                                             const double *S, const double *O, vdi_error *err) {
    const vdi__lds_copies *to = (const vdi__lds_copies *)user;
    const int64_t T = to->data->T, dd = to->data->d * to->data->d;
    const int64_t pairs = VDI__MIN(t + bins, to->data->lane.lengths[lane] - 1) - t;
    (void)err;
    if (to->Ps) memcpy(to->Ps + (lane * T + t) * dd, S, (size_t)(bins * dd) * sizeof *S);
    if (to->Pc && pairs > 0)
        memcpy(to->Pc + (lane * (T - 1) + t) * dd, O, (size_t)(pairs * dd) * sizeof *O);
    return VDI_OK;
}

/* Behind a lane's end covariances are 0. */
VDI__FN void vdi__lds_clear_covariances(const vdi_lds_data *a, const vdi_lds_moments *out) {
    const int64_t T = a->T, dd = a->d * a->d;
    for (int64_t g = 0; g < a->lane.count; g++) {
        const int64_t length = a->lane.lengths[g], pairs = VDI__MAX(length - 1, 0);
        if (out->Ps)
            memset(out->Ps + (g * T + length) * dd, 0,
                   (size_t)((T - length) * dd) * sizeof(double));
        if (out->Pc && T > 1) {
            memset(out->Pc + (g * (T - 1) + pairs) * dd, 0,
                   (size_t)((T - 1 - pairs) * dd) * sizeof(double));
        }
    }
}

/* By filter and RTS, or what a filter alone says. */
VDI__FN vdi_status vdi__lds_smooth_filter(const vdi_lds *p, vdi_lds_data *a,
                                          const vdi_lds_moments *out, vdi_error *err) {
    vdi_status status = vdi__lds_whole(a, err);
    if (status == VDI_OK) status = vdi__lds_filter(p, a, err);
    if (status < 0) return status;
    vdi__lds_filter_out(a, out);
    return out->kalman ? vdi__lds_kalman_posterior(p, a, out, err) : VDI_OK;
}

VDI__DEF vdi_status vdi_lds_smooth(const vdi_lds *lds, vdi_lds_data *data,
                                   const vdi_lds_moments *out, vdi_error *err) {
    const bool filter = out->kalman || out->mp || out->Pp || out->mf || out->Pf;
    vdi__lds_copies copies = VDI__ZERO;
    vdi__lds_sink sink = VDI__ZERO;
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_smooth", err);
    if (status < 0) return status;
    copies.data = data;
    copies.Ps = out->Ps;
    copies.Pc = out->Pc;
    sink.take = vdi__lds_copy_covariances;
    sink.user = &copies;
    const vdi__lds_sink *wanted = out->Ps || out->Pc ? &sink : NULL;
    const bool thin = vdi__lds_is_thin(lds, data);
    if (filter && !thin) status = vdi__lds_smooth_filter(lds, data, out, err);
    if (status == VDI_OK && out->kalman && !thin)
        status = vdi__lds_give(data, wanted, err);
    else if (status == VDI_OK)
        status = vdi__lds_posterior(lds, data, wanted, err);
    if (status < 0) return status;
    if (filter && thin) vdi__lds_filter_out(data, out);
    vdi__lds_clear_covariances(data, out);
    vdi__lds_unslot(data, data->m, out->ms);
    if (out->ll) memcpy(out->ll, data->ll, (size_t)data->trials * sizeof(double));
    return VDI_OK;
}

/* A caller who takes stretches. */
typedef struct vdi__lds_caller {
    vdi_lds_data *data;
    vdi_lds_take_fn take;
    void *user;
} vdi__lds_caller;

VDI__FN vdi_status vdi__lds_take_stretch(void *user, int64_t lane, int64_t t, int64_t bins,
                                         const double *S, const double *O, vdi_error *err) {
    const vdi__lds_caller *to = (const vdi__lds_caller *)user;
    vdi_lds_data *a = to->data;
    vdi_status status = VDI_OK;
    for (int64_t row = 0; status == VDI_OK && row < a->lane.rows; row++) {
        const int64_t trial = a->lane.trial_at[row * a->lane.count + lane];
        if (trial < 0) continue;
        vdi_lds_stretch s;
        s.trial = trial;
        s.first = t;
        s.bins = bins;
        s.ms = vdi__lds_slot(a, a->m, trial) + t * a->d;
        s.Ps = S;
        s.Pc = O;
        status = to->take(to->user, &s, err);
    }
    return status;
}

VDI__DEF vdi_status vdi_lds_smooth_each(const vdi_lds *lds, vdi_lds_data *data,
                                        vdi_lds_take_fn take, void *user, double *ll,
                                        vdi_error *err) {
    vdi__lds_caller caller = VDI__ZERO;
    vdi__lds_sink sink = VDI__ZERO;
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_smooth_each", err);
    caller.data = data;
    caller.take = take;
    caller.user = user;
    sink.take = vdi__lds_take_stretch;
    sink.user = &caller;
    if (status == VDI_OK) status = vdi__lds_posterior(lds, data, &sink, err);
    if (status == VDI_OK && ll) memcpy(ll, data->ll, (size_t)data->trials * sizeof(double));
    return status;
}

VDI__DEF vdi_status vdi_lds_log_likelihood(const vdi_lds *lds, vdi_lds_data *data, double *ll,
                                           double *sum, vdi_error *err) {
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_log_likelihood", err);
    if (status == VDI_OK) status = vdi__lds_posterior(lds, data, NULL, err);
    status = vdi_ranks_agree(&data->ranks, status, err);
    if (status < 0) return status;
    if (ll) memcpy(ll, data->ll, (size_t)data->trials * sizeof(double));
    double total = vdi_sum(VDI_F64, (size_t)data->trials, data->ll);
    status = vdi_ranks_sum(&data->ranks, &total, 1, err);
    if (status == VDI_OK && sum) *sum = total;
    return status;
}
#endif
