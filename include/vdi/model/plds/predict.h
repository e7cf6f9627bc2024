/* model/plds/predict.h - predictions of a Poisson linear dynamical system: leave-one-neuron-out and
 * one-step-ahead
 *
 * Do this:
 *     vdi_plds_prediction out = {0};
 *     out.log_p = log_p;                                                       (trials,T,n)
 *     vdi_plds_predict(plds, counts, VDI_PLDS_LEAVE_ONE_OUT, &out, &err);
 *     vdi_score_bits_per_spike(trials * T, n, y, log_p, means, &bits, &err);   (score.h)
 *
 * A prediction is a distribution: given the counts that may be used, the log rate of neuron n in
 * bin t is Gaussian, and log_p integrates the Poisson probability over it by Gauss-Hermite
 * quadrature: log E p(y), not the log probability at a mean rate. exp(mean + variance/2), the
 * expected rate, can be huge where little is known; `rate` is exp(mean), the median. No leak: the
 * count that is predicted is never read. Leaving neuron n out, its counts in all bins of the trial
 * are not read, and the search for the posterior starts from the latents at rest; one step ahead,
 * no count of bin t or later is read. Random counts in their place change no bit. Memory: none is
 * allocated. Threads: data_desc.pool.
 */
#ifndef VDI_MODEL_PLDS_PREDICT_H
#define VDI_MODEL_PLDS_PREDICT_H
#include "../../linalg/quadrature.h"
#include "posterior.h"

/** What may be used to predict y_tn. */
typedef enum vdi_plds_task {
    VDI_PLDS_LEAVE_ONE_OUT = 0, /**< the other neurons of the same trial, in all bins */
    VDI_PLDS_ONE_STEP           /**< all neurons in the bins before t */
} vdi_plds_task;

/** Where vdi_plds_predict writes; all (trials,T,n), NULL: not wanted, NaN behind a trial's
 * length. */
typedef struct vdi_plds_prediction {
    double *mean;     /**< of the log rate, width and offset included */
    double *variance; /**< of the log rate */
    double *rate;     /**< exp(mean): the median rate, expected counts per bin */
    double *log_p;    /**< log probability of the count under the predictive distribution, nats, log
                           y! included; NaN where it is missing */
    int32_t nodes;    /**< of the quadrature; 0: 24 */
    int64_t window;   /**< one step ahead: the last so many bins are fitted together, what is older
                           is kept as it was; 0: 16 */
} vdi_plds_prediction;

/** Name, default, range and help of the numbers in a vdi_plds_prediction. */
VDI_API const vdi_fields *vdi_plds_prediction_fields(void);
/** Predict every count from others. Does not use or touch the posterior that the data carry. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_predict(const vdi_plds *plds, vdi_plds_data *data,
                                                  vdi_plds_task task,
                                                  const vdi_plds_prediction *out, vdi_error *err);

#endif /* VDI_MODEL_PLDS_PREDICT_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_PREDICT_C)
#define VDI_MODEL_PLDS_PREDICT_C

static const vdi_field vdi__plds_prediction_rows[] = {
    VDI_FIELD_INT32(vdi_plds_prediction, nodes, 24, 1, VDI_GAUSS_HERMITE_MAX,
                    "nodes of the quadrature"),
    VDI_FIELD_INT(vdi_plds_prediction, window, 16, 1, 1e12,
                  "one step ahead: so many of the last bins are fitted together"),
};

VDI__DEF const vdi_fields *vdi_plds_prediction_fields(void) {
    static const vdi_fields fields = {"vdi_plds_prediction", vdi__plds_prediction_rows,
                                      VDI__COUNT(vdi__plds_prediction_rows)};
    return &fields;
}

/* ---- on their way out ------------------------------------------------------------------------ */

typedef struct vdi__plds_forecast {
    vdi__plds_run r;
    vdi_plds_prediction out; /* defaults filled in */
    double x[VDI_GAUSS_HERMITE_MAX], w[VDI_GAUSS_HERMITE_MAX];
} vdi__plds_forecast;

/* So many predictions at a time, so that the quadrature runs in lanes. */
enum { VDI__PLDS_BATCH = 32 };
typedef struct vdi__plds_batch {
    const vdi__plds_forecast *u;
    int64_t count, at[VDI__PLDS_BATCH];
    double y[VDI__PLDS_BATCH], mean[VDI__PLDS_BATCH], variance[VDI__PLDS_BATCH],
        log_p[VDI__PLDS_BATCH];
} vdi__plds_batch;

VDI__FN void vdi__plds_flush(vdi__plds_batch *k) {
    const vdi_plds_prediction *out = &k->u->out;
    if (out->log_p) {
        vdi_poisson_lognormal((size_t)k->count, k->y, k->mean, k->variance, out->nodes, k->u->x,
                              k->u->w, k->log_p);
    }
    for (int64_t i = 0; i < k->count; i++) {
        if (out->mean) out->mean[k->at[i]] = k->mean[i];
        if (out->variance) out->variance[k->at[i]] = k->variance[i];
        if (out->rate) out->rate[k->at[i]] = exp(k->mean[i]);
        if (out->log_p) out->log_p[k->at[i]] = k->log_p[i];
    }
    k->count = 0;
}

/* Neuron j of bin t: mean and variance of c'z + b + offset under N(m,S). */
VDI__FN void vdi__plds_write(vdi__plds_batch *k, int64_t trial, int64_t t, int64_t j,
                             const double *m, const double *S) {
    const vdi__plds_run *r = &k->u->r;
    const vdi_plds_data *a = r->a;
    const int64_t d = a->d, at = (trial * a->T + t) * a->n + j;
    const double *c = r->p->C + j * d, offset = a->offset ? a->offset[at] : 0;
    const bool missing = !(offset > VDI__PLDS_NEVER);
    double mean = r->p->b[j] + a->log_width + (missing ? 0 : offset), variance = 0;
    for (int64_t i = 0; i < d; i++) {
        double v = 0;
        for (int64_t l = 0; l < d; l++)
            v += S[i * d + l] * c[l];
        mean += c[i] * m[i];
        variance += c[i] * v;
    }
    k->at[k->count] = at;
    k->y[k->count] = missing ? NAN : a->y[at];
    k->mean[k->count] = mean;
    k->variance[k->count] = VDI__MAX(variance, 0);
    if (++k->count == VDI__PLDS_BATCH) vdi__plds_flush(k);
}

/* ---- leaving a neuron out -------------------------------------------------------------------- */

VDI__FN bool vdi__plds_group_empty(const vdi__plds_fit *f) {
    for (int64_t i = 0; i < f->count; i++)
        if (f->length[i] > 0) return false;
    return true;
}

/* The read-out without neuron j, in the worker's own copy. A row of zeros in C and a rate of
 * exp(-1e300) = 0 take it out. */
VDI__FN void vdi__plds_without(const vdi_plds_data *a, int64_t j, vdi__plds_readout *to) {
    const size_t n = (size_t)a->n, K = (size_t)a->K;
    memcpy(to->in, a->readout.in, n * K * sizeof(double));
    memcpy(to->out, a->readout.out, n * K * sizeof(double));
    memcpy(to->b, a->readout.b, n * sizeof(double));
    for (int64_t i = 0; i < a->K; i++)
        to->in[i * a->n + j] = to->out[j * a->K + i] = 0;
    to->b[j] = VDI__PLDS_NEVER;
}

/* Neuron index % n of group index / n. */
VDI__FN void vdi__plds_leave_out(int64_t index, int worker, void *user) {
    const vdi__plds_forecast *u = (const vdi__plds_forecast *)user;
    vdi_plds_data *a = u->r.a;
    vdi__plds_worker *k = &a->worker[worker];
    const int64_t g = index / a->n, j = index % a->n;
    vdi__plds_batch batch;
    vdi__plds_fit f;
    if (k->status < 0) return;
    vdi__plds_group(&u->r, g, worker, &f);
    if (vdi__plds_group_empty(&f)) return;
    vdi__plds_without(a, j, &k->readout);
    f.readout = k->readout;
    f.left_out = j;
    for (int64_t i = 0; i < f.count; i++)
        vdi__plds_open(&f, i, 0);
    vdi_status status = vdi__plds_solve(&u->r, &f, false, &k->err);
    if (status == VDI_OK && !f.converged) k->status = VDI_NOT_CONVERGED;
    if (status < 0) k->status = status;
    batch.u = u;
    batch.count = 0;
    for (int64_t i = 0; status >= 0 && i < f.count; i++) {
        const vdi__plds_q q = vdi__plds_now(&f, i);
        for (int64_t t = 0; t < f.length[i]; t++) {
            vdi__plds_write(&batch, g * VDI__PLDS_GROUP + i, t, j, q.m + t * a->d,
                            q.S + t * a->d * a->d);
        }
    }
    vdi__plds_flush(&batch);
}

/* ---- one step ahead --------------------------------------------------------------------------
 * Bin after bin: predict, take the bin in, fit the last `window` bins to their best Gaussian. */

/* A group of trials and the bins from `start` on that are fitted together. */
typedef struct vdi__plds_window {
    vdi__plds_fit f;
    vdi__chain chain;
    int64_t first, longest; /* the group's first trial, its longest length */
    int64_t start, size;    /* first bin; most bins */
} vdi__plds_window;

VDI__FN void vdi__plds_window_begin(const vdi__plds_forecast *u, int64_t g, int worker,
                                    vdi__plds_window *w) {
    const vdi_plds_data *a = u->r.a;
    vdi__plds_worker *k = &u->r.a->worker[worker];
    const size_t d = (size_t)a->d, dd = d * d;
    memset(w, 0, sizeof *w);
    vdi__plds_group(&u->r, g, worker, &w->f);
    w->chain = vdi__plds_chain(u->r.p);
    w->first = g * VDI__PLDS_GROUP;
    w->size = VDI__MIN(u->out.window, a->T);
    for (int64_t i = 0; i < w->f.count; i++) {
        w->longest = VDI__MAX(w->longest, w->f.length[i]);
        memcpy(k->first + (size_t)i * dd, u->r.prior.Q0i, dd * sizeof(double));
        memcpy(k->first_h + (size_t)i * d, u->r.prior.hx, d * sizeof(double));
    }
    w->f.first = k->first;
    w->f.first_h = k->first_h;
}

/* Every neuron of bin t from the blocks in the window, all before t. */
VDI__FN void vdi__plds_window_predict(const vdi__plds_forecast *u, const vdi__plds_window *w,
                                      int64_t t, vdi__plds_worker *k, vdi__plds_batch *batch) {
    const vdi_plds_data *a = u->r.a;
    const int64_t d = a->d, dd = d * d;
    for (int64_t i = 0; i < w->f.count; i++) {
        if (t >= a->lengths[w->first + i]) continue;
        const vdi__plds_q q = vdi__plds_now(&w->f, i);
        const int64_t last = t - w->start - 1;
        memcpy(k->m, t > 0 ? q.m + last * d : w->chain.x0, (size_t)d * sizeof(double));
        memcpy(k->S, t > 0 ? q.S + last * dd : w->chain.Q0, (size_t)dd * sizeof(double));
        if (t > 0) vdi__chain_predict(&w->chain, NULL, k->m, k->S, k->work);
        for (int64_t j = 0; j < a->n; j++)
            vdi__plds_write(batch, w->first + i, t, j, k->m, k->S);
    }
    vdi__plds_flush(batch);
}

/* The first block of a full window goes: what it and everything before it say of the next block, as
 * precision and precision times mean,
 *     P' = Q^{-1} - Q^{-1}A G^{-1} A'Q^{-1},  h' = Q^{-1}A G^{-1} (h + site),
 *     G = P + site + A'Q^{-1}A. */
VDI__FN vdi_status vdi__plds_absorb(const vdi__plds_fit *f, const double *D, const double *k,
                                    double *P, double *h, double *work, vdi_error *err) {
    const size_t d = (size_t)f->d, dd = d * d;
    double *G = work, *X = G + dd, *v = X + dd;
    memcpy(G, D, dd * sizeof *G); /* P + site + A'Q^{-1}A */
    memcpy(v, k, d * sizeof *v);
    vdi_status status = vdi_cholesky(VDI_F64, d, G, d, err);
    if (status < 0) return status;
    for (size_t r = 0; r < d; r++) {
        for (size_t c = 0; c < d; c++)
            X[r * d + c] = f->prior->QA[c * d + r]; /* -A'Q^{-1} */
    }
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, d, d, G, d, X, d);
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, d, 1, G, d, v, 1);
    vdi_gemm(VDI_F64, VDI_GEMM_TA, d, d, d, X, d, X, d, P, d);
    for (size_t c = 0; c < dd; c++)
        P[c] = f->prior->Qi[c] - P[c];
    vdi_gemv(VDI_F64, VDI_GEMM_TA, d, d, X, d, v, h);
    for (size_t r = 0; r < d; r++)
        h[r] = -h[r];
    return VDI_OK;
}

/* The first block of every trial that is still under way at bin t is absorbed. */
VDI__FN vdi_status vdi__plds_window_drop(const vdi_plds_data *a, vdi__plds_window *w, int64_t t,
                                         vdi__plds_worker *k) {
    vdi__plds_fit *f = &w->f;
    const int64_t d = a->d;
    for (int64_t i = 0; i < f->count; i++) {
        if (t >= a->lengths[w->first + i]) continue;
        const vdi__plds_q q = vdi__plds_now(f, i);
        /* it has a successor now */
        f->length[i] = VDI__MAX(w->size, 2);
        vdi__plds_precision(f, i, q.site, &f->next);
        vdi__plds_information(f, i, q.site, q.m, f->next.k);
        const vdi_status status = vdi__plds_absorb(f, f->next.D, f->next.k, k->first + i * d * d,
                                                   k->first_h + i * d, k->work, &k->err);
        if (status < 0) return status;
    }
    return VDI_OK;
}

/* The blocks after the first `drop` move to the front, and one more follows, without a site. The
 * window holds keep + 1 blocks then. */
VDI__FN void vdi__plds_window_shift(vdi__plds_fit *f, int64_t drop, int64_t keep) {
    const int64_t d = f->d, K = f->K, T = keep + 1;
    for (int64_t i = 0; i < f->count; i++) {
        const vdi__plds_q q = vdi__plds_now(f, i), to = vdi__plds_from(f->next, i, T, d);
        memcpy(to.site, q.site + drop * K, (size_t)(keep * K) * sizeof(double));
        memset(to.site + keep * K, 0, (size_t)K * sizeof(double));
        memcpy(to.m, q.m + drop * d, (size_t)(keep * d) * sizeof(double));
    }
    memcpy(f->now.site, f->next.site, (size_t)(f->count * T * K) * sizeof(double));
    memcpy(f->now.m, f->next.m, (size_t)(f->count * T * d) * sizeof(double));
    f->T = T;
}

/* Bin t comes in as the last block of trial i: what is known before it, the old sites with their
 * own information, which k of a Gaussian at `now.m` gives if the new bin's is 0. */
VDI__FN void vdi__plds_window_open(const vdi_plds_data *a, vdi__plds_window *w, int64_t i,
                                   int64_t t) {
    vdi__plds_fit *f = &w->f;
    const int64_t trial = w->first + i, at = (trial * a->T + w->start) * a->n, d = a->d;
    const int64_t last = f->T - 1;
    const bool inside = t < a->lengths[trial];
    f->length[i] = inside ? f->T : 0;
    f->y[i] = a->y + at;
    f->offset[i] = a->offset ? a->offset + at : NULL;
    if (!inside) return;
    const vdi__plds_q q = vdi__plds_now(f, i);
    vdi__plds_open(f, i, 0);
    vdi__plds_precision(f, i, q.site, &q);
    memset(q.m + last * d, 0, (size_t)d * sizeof(double));
    vdi__plds_information(f, i, q.site, q.m, q.k);
    for (int64_t c = 0; c < d; c++)
        q.k[last * d + c] -= f->yC[(i * f->T + last) * d + c];
}

/* The window's best Gaussian, from what is known before the new bin. */
VDI__FN vdi_status vdi__plds_window_fit(vdi__plds_fit *f, vdi_error *err) {
    vdi_status status = vdi__plds_bt_init(f, err);
    if (status == VDI_OK) status = vdi__plds_moments_of(f, &f->now, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < f->count; i++) {
        const vdi__plds_q q = vdi__plds_now(f, i);
        if (f->length[i] > 0) vdi__plds_evaluate(f, i, &q);
    }
    return vdi__plds_ascend(f, 100, 1e-9, err);
}

VDI__FN vdi_status vdi__plds_walk(const vdi__plds_forecast *u, int64_t g, int worker,
                                  vdi__plds_worker *k) {
    const vdi_plds_data *a = u->r.a;
    vdi__plds_window w;
    vdi__plds_batch batch;
    vdi_status status = VDI_OK;
    batch.u = u;
    batch.count = 0;
    vdi__plds_window_begin(u, g, worker, &w);
    for (int64_t t = 0; t < w.longest; t++) {
        const int64_t have = t - w.start; /* blocks in the window, before bin t comes in */
        const int64_t drop = have == w.size;
        vdi__plds_window_predict(u, &w, t, k, &batch);
        if (t + 1 == w.longest) break;
        if (drop) status = vdi__plds_window_drop(a, &w, t, k);
        if (status < 0) return status;
        vdi__plds_window_shift(&w.f, drop, have - drop);
        w.start += drop;
        for (int64_t i = 0; i < w.f.count; i++)
            vdi__plds_window_open(a, &w, i, t);
        if (vdi__plds_group_empty(&w.f)) break;
        status = vdi__plds_window_fit(&w.f, &k->err);
        if (status < 0) return status;
        if (!w.f.converged) k->status = VDI_NOT_CONVERGED;
    }
    return VDI_OK;
}

VDI__FN void vdi__plds_one_step(int64_t g, int worker, void *user) {
    const vdi__plds_forecast *u = (const vdi__plds_forecast *)user;
    vdi__plds_worker *k = &u->r.a->worker[worker];
    if (k->status < 0) return;
    vdi_status status = vdi__plds_walk(u, g, worker, k);
    if (status < 0) k->status = status;
}

/* ---- API ------------------------------------------------------------------------------------- */

VDI__DEF vdi_status vdi_plds_predict(const vdi_plds *plds, vdi_plds_data *data, vdi_plds_task task,
                                     const vdi_plds_prediction *out, vdi_error *err) {
    static const char where[] = "vdi_plds_predict";
    const size_t values = (size_t)(data->trials * data->T * data->n);
    double *const place[4] = {out->mean, out->variance, out->rate, out->log_p};
    vdi__plds_forecast u;
    vdi_status status = vdi__plds_fits(plds, data, where, err);
    if (status < 0) return status;
    if (task != VDI_PLDS_LEAVE_ONE_OUT && task != VDI_PLDS_ONE_STEP) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "task is %d, expected VDI_PLDS_LEAVE_ONE_OUT or VDI_PLDS_ONE_STEP",
                             (int)task);
    }
    u.out = *out;
    vdi_fields_fill(vdi_plds_prediction_fields(), &u.out);
    status = vdi_fields_check(vdi_plds_prediction_fields(), &u.out, err);
    if (status == VDI_OK) status = vdi_gauss_hermite(u.out.nodes, u.x, u.w, err);
    if (status == VDI_OK) status = vdi__plds_prepare(plds, data, &u.r, err);
    if (status < 0) return status;
    u.r.iterations = -1;
    u.r.tolerance = 1e-9;
    for (int i = 0; i < 4; i++)
        if (place[i]) vdi_fill(VDI_F64, values, NAN, place[i]);
    if (task == VDI_PLDS_LEAVE_ONE_OUT)
        vdi_pool_run(data->pool, data->groups * data->n, vdi__plds_leave_out, &u);
    else
        vdi_pool_run(data->pool, data->groups, vdi__plds_one_step, &u);
    return vdi__plds_finish(data, where, err);
}
#endif
