/* model/deepspike/estimator.h - how an estimator of the gradient weights the trains of a snippet
 *
 * Rows of the estimators that deepspike.h lists; the formulas stand at vdi_deepspike_weights.
 */
#ifndef VDI_MODEL_DEEPSPIKE_ESTIMATOR_H
#define VDI_MODEL_DEEPSPIKE_ESTIMATOR_H
#include "deepspike.h"

/** What a sample-based estimator is: from log_w (K) the value of its bound, and the weights with
 * which grad log q(s_k) and grad log p(f, s_k) enter its gradient: to_q (K), to_p (K). `baseline`
 * is what REINFORCE uses for K = 1. NaN comes out if a log weight is not finite.
 *      VIMCO        L - L_{-k} - omega_k                                   omega_k
 *      REINFORCE    (log w_k - mean_{j != k} log w_j - 1) / K              1 / K
 *      WAKE_SLEEP   0                                                      omega_k */
VDI_API void vdi_deepspike_weights(vdi_deepspike_estimator estimator, int64_t K,
                                   const double *log_w, double baseline, double *bound,
                                   double *to_q, double *to_p);

#endif /* VDI_MODEL_DEEPSPIKE_ESTIMATOR_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_ESTIMATOR_C)
#define VDI_MODEL_DEEPSPIKE_ESTIMATOR_C

/* The log weights of one snippet, and what all estimators need of them. */
typedef struct vdi__ds_log_weights {
    int64_t K, best; /* best: the largest */
    const double *log_w;
    double top, total; /* the largest, the sum of all log weights */
    double sum;        /* of exp(log_w - top) */
} vdi__ds_log_weights;

/* The row of an estimator. Which of its parts stand in a step: */
struct vdi__ds_estimator {
    bool labels;   /* true trains instead of drawn ones */
    bool relaxed;  /* trains between 0 and 1 that carry a gradient */
    bool dreams;   /* the network learns from trains that the generative model draws itself */
    bool remember; /* the mean of earlier bounds is the baseline of K = 1 */
    /* from weights, where to_p holds exp(log_w - top) (K), to the bound, to_q and to_p; NULL for
     * labels */
    void (*weigh)(const vdi__ds_log_weights *w, double baseline, double *bound, double *to_q,
                  double *to_p);
};

/* log mean_k w_k; to_p becomes omega_k = w_k / sum_j w_j */
VDI__FN double vdi__ds_importance(const vdi__ds_log_weights *w, double *to_p) {
    for (int64_t k = 0; k < w->K; k++) {
        to_p[k] /= w->sum;
    }
    return w->top + log(w->sum / (double)w->K);
}

VDI__FN void vdi__ds_weigh_vimco(const vdi__ds_log_weights *w, double baseline, double *bound,
                                 double *to_q, double *to_p) {
    const int64_t K = w->K, best = w->best;
    const double L = w->top + log(w->sum / (double)K);
    /* without its largest member the sum may be anything smaller: then it is formed anew */
    double without = 0, second = -HUGE_VAL;
    (void)baseline;
    for (int64_t k = 0; k < K; k++) {
        if (k != best && w->log_w[k] > second) second = w->log_w[k];
    }
    for (int64_t k = 0; k < K; k++) {
        if (k != best) without += exp(w->log_w[k] - second);
    }
    for (int64_t k = 0; k < K; k++) {
        double others = 0;
        if (K > 1) {
            others = k == best ? second + log(without) : w->top + log(w->sum - to_p[k]);
            others -= log((double)(K - 1));
        }
        to_q[k] = L - others - to_p[k] / w->sum;
    }
    *bound = vdi__ds_importance(w, to_p);
}

VDI__FN void vdi__ds_weigh_reinforce(const vdi__ds_log_weights *w, double baseline, double *bound,
                                     double *to_q, double *to_p) {
    const double K = (double)w->K;
    for (int64_t k = 0; k < w->K; k++) {
        const double others = w->K > 1 ? (w->total - w->log_w[k]) / (K - 1) : baseline;
        to_p[k] = 1 / K;
        to_q[k] = (w->log_w[k] - others - 1) / K;
    }
    *bound = w->total / K;
}

VDI__FN void vdi__ds_weigh_wake(const vdi__ds_log_weights *w, double baseline, double *bound,
                                double *to_q, double *to_p) {
    (void)baseline;
    for (int64_t k = 0; k < w->K; k++) {
        to_q[k] = 0;
    }
    *bound = vdi__ds_importance(w, to_p);
}

static const vdi__ds_estimator vdi__ds_vimco = {false, false, false, false, vdi__ds_weigh_vimco};
static const vdi__ds_estimator vdi__ds_reinforce = {false, false, false, true,
                                                    vdi__ds_weigh_reinforce};
static const vdi__ds_estimator vdi__ds_concrete = {false, true, false, false,
                                                   vdi__ds_weigh_reinforce};
static const vdi__ds_estimator vdi__ds_wake_sleep = {false, false, true, false, vdi__ds_weigh_wake};
static const vdi__ds_estimator vdi__ds_supervised = {true, false, false, false, NULL};

VDI__FN const vdi__ds_estimator *vdi__ds_estimator_of(vdi_deepspike_estimator estimator) {
    static const vdi__ds_estimator *const rows[VDI_DEEPSPIKE_ESTIMATORS] = {
#define VDI__DS_ROW(upper, lower) &vdi__ds_##lower,
        VDI_DEEPSPIKE_ESTIMATOR_LIST(VDI__DS_ROW)
#undef VDI__DS_ROW
    };
    return (unsigned)estimator < VDI_DEEPSPIKE_ESTIMATORS ? rows[estimator] : NULL;
}

VDI__DEF void vdi_deepspike_weights(vdi_deepspike_estimator estimator, int64_t K,
                                    const double *log_w, double baseline, double *bound,
                                    double *to_q, double *to_p) {
    const vdi__ds_estimator *row = vdi__ds_estimator_of(estimator);
    vdi__ds_log_weights w = {K, 0, log_w, -HUGE_VAL, 0, 0};
    for (int64_t k = 0; k < K; k++) {
        if (log_w[k] > w.top || log_w[k] != log_w[k]) {
            w.top = log_w[k];
            w.best = k;
        }
        w.total += log_w[k];
    }
    for (int64_t k = 0; k < K; k++) {
        to_p[k] = exp(log_w[k] - w.top);
        w.sum += to_p[k];
    }
    if (row && row->weigh)
        row->weigh(&w, baseline, bound, to_q, to_p);
    else
        vdi__ds_weigh_vimco(&w, baseline, bound, to_q, to_p);
}

/* What the parts of a description ask of each other. */
VDI__FN vdi_status vdi__ds_check_parts(const vdi_deepspike_desc *d, vdi_error *err) {
    static const char where[] = "vdi_deepspike_desc";
    const vdi_deepspike_generative *g = &d->generative;
    const vdi__ds_estimator *how = vdi__ds_estimator_of(d->train.estimator);
    const bool correlated = d->posterior == VDI_DEEPSPIKE_CORRELATED;
    if (g->theta_count < 0 || g->theta_count > VDI_DEEPSPIKE_THETA) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "generative.theta_count is %lld, expected 0 to %d",
                             (long long)g->theta_count, VDI_DEEPSPIKE_THETA);
    }
    if (!how->labels && !g->log_likelihood) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, where,
            "generative.log_likelihood is missing: only the supervised estimator does without");
    }
    if (how->dreams && !g->sample) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, where,
            "wake-sleep draws from the generative model: generative.sample is missing");
    }
    if (correlated && g->streams > 1) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "a correlated posterior has one stream, the generative model %d",
                             g->streams);
    }
    if (correlated && how->relaxed) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "the concrete relaxation is for the factorised posterior");
    }
    if (d->network.odds && (!d->network.params || d->network.params->dtype != d->dtype ||
                            correlated || d->amplitude)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "a network of one's own needs its parameters in desc.dtype, and is "
                             "factorised, without amplitude");
    }
    if (d->amplitude && (g->amplitude < 0 || g->amplitude >= g->theta_count)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "amplitude: generative.amplitude is %lld, expected an entry of theta",
                             (long long)g->amplitude);
    }
    return VDI_OK;
}
#endif
