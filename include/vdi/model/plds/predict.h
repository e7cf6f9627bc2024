/* model/plds/predict.h - what a Poisson linear dynamical system says of counts that it did not see:
 * log p(y) by importance sampling, leave-one-neuron-out and one-step-ahead predictions; and drawing
 * from the model
 *
 * Do this:
 *     vdi_plds_log_likelihood(plds, counts, 64, 1, ll, NULL, &sum, &err);      64 samples, seed 1
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
#include "../lds/sample.h"
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
    int nodes;        /**< of the quadrature; 0: 24 */
    int64_t window;   /**< one step ahead: the last so many bins are fitted together, what is older
                           is kept as it was; 0: 16 */
} vdi_plds_prediction;

/** log p(y) of each trial by importance sampling from the best Gaussian (of the Laplace one, if
 * that is the model's method): ll (trials), an estimate that is too low on average, by about half
 * the variance of the weights over `samples`; ess (trials): effective samples, (sum w)^2 / sum w^2.
 * Either may be NULL, and so may *sum. Sample s of trial i draws from stream s * trials + i of
 * `seed`. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_log_likelihood(const vdi_plds *plds, vdi_plds_data *data,
                                                         int64_t samples, uint64_t seed, double *ll,
                                                         double *ess, double *sum, vdi_error *err);
/** Predict every count from others. Does not use or touch the posterior that the data carry. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_predict(const vdi_plds *plds, vdi_plds_data *data,
                                                  vdi_plds_task task,
                                                  const vdi_plds_prediction *out, vdi_error *err);
/** Draw from the model: z (trials,T,d), rate (trials,T,n) (expected counts), y (trials,T,n); each
 * may be NULL but z. offset (trials,T,n) or NULL; width 0: 1. Trial i uses stream i of `seed`, its
 * counts stream 2^32 + i. `work` holds vdi_plds_simulate_work(plds) doubles. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_simulate(const vdi_plds *plds, uint64_t seed,
                                                   int64_t trials, int64_t T, double width,
                                                   const double *offset, double *work, double *z,
                                                   double *rate, double *y, vdi_error *err);
VDI_API size_t vdi_plds_simulate_work(const vdi_plds *plds);

#endif /* VDI_MODEL_PLDS_PREDICT_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_PREDICT_C)
#define VDI_MODEL_PLDS_PREDICT_C

/* ---- log p(y) -------------------------------------------------------------------------------- */

typedef struct vdi__plds_sampling {
    const vdi__plds_run *r;
    int64_t samples;
    uint64_t seed;
    double *ll, *ess;
} vdi__plds_sampling;

/* log p(y,z) - log q(z) with q = N(m, J^{-1}), z = m + L^{-T} eps: the sums of squares cost
 * nothing, since log q holds |eps|^2. The weights are summed about their running maximum. */
VDI__FN void vdi__plds_sample_group(int64_t g, int worker, void *user) {
    const vdi__plds_sampling *u = (const vdi__plds_sampling *)user;
    const vdi__plds_run *r = u->r;
    vdi_plds_data *a = r->a;
    vdi__plds_worker *k = &a->worker[worker];
    const int64_t d = a->d, T = a->T;
    double top[VDI__PLDS_GROUP], sum[VDI__PLDS_GROUP], square[VDI__PLDS_GROUP],
        eps2[VDI__PLDS_GROUP];
    vdi__plds_fit f;
    if (k->status < 0) return;
    vdi__plds_group(r, g, worker, &f);
    vdi__plds_q q = vdi__plds_slice(a, g);
    vdi__plds_open_all(r, g, &f);
    vdi_status status = vdi__plds_bt_init(&f, &k->err);
    if (status == VDI_OK) status = vdi_blocktri_factor(&f.bt, q.D, q.E, &k->err);
    if (status < 0) {
        k->status = status;
        return;
    }
    for (int64_t i = 0; i < f.count; i++) {
        top[i] = -HUGE_VAL;
        sum[i] = square[i] = 0;
    }
    for (int64_t s = 0; s < u->samples; s++) {
        double *z = f.next.m;
        for (int64_t i = 0; i < f.count; i++) {
            vdi_rng rng =
                vdi_rng_make(u->seed, (uint64_t)(s * a->trials + g * VDI__PLDS_GROUP + i));
            vdi_rng_fill_normal(&rng, VDI_F64, f.length[i] * d, z + i * T * d);
            eps2[i] = vdi_dot(VDI_F64, (size_t)(f.length[i] * d), z + i * T * d, z + i * T * d);
        }
        vdi_blocktri_sample(&f.bt, 1, z, z);
        for (int64_t i = 0; i < f.count; i++) {
            double *x = z + i * T * d;
            if (f.length[i] == 0) continue;
            vdi_axpby(VDI_F64, (size_t)(f.length[i] * d), 1, q.m + i * T * d, 1, x);
            vdi__plds_rates(&f, i, x, NULL);
            double w = vdi__plds_log_joint(&f, i, x,
                                           vdi_sum(VDI_F64, (size_t)(f.length[i] * a->n), f.rate)) +
                       f.constant[i];
            /* the bound's constant holds T d / 2, which is not wanted here */
            w += 0.5 * (eps2[i] - q.logdet[i] - (double)(f.length[i] * d));
            if (w > top[i]) {
                double scale = top[i] > -HUGE_VAL ? exp(top[i] - w) : 0;
                sum[i] = sum[i] * scale + 1;
                square[i] = square[i] * scale * scale + 1;
                top[i] = w;
            } else {
                double e = exp(w - top[i]);
                sum[i] += e;
                square[i] += e * e;
            }
        }
    }
    for (int64_t i = 0; i < f.count; i++) {
        int64_t at = g * VDI__PLDS_GROUP + i;
        if (u->ll) u->ll[at] = f.length[i] > 0 ? top[i] + log(sum[i] / (double)u->samples) : 0;
        if (u->ess) u->ess[at] = f.length[i] > 0 ? sum[i] * sum[i] / square[i] : (double)u->samples;
    }
}

VDI__DEF vdi_status vdi_plds_log_likelihood(const vdi_plds *plds, vdi_plds_data *data,
                                            int64_t samples, uint64_t seed, double *ll, double *ess,
                                            double *sum, vdi_error *err) {
    const char *where = "vdi_plds_log_likelihood";
    vdi__plds_run r;
    vdi__plds_sampling u;
    if (samples < 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "samples is %lld, expected at least 1",
                             (long long)samples);
    }
    vdi_status fit = vdi__plds_posterior(plds, data, -1, &r, where, err);
    if (fit < 0) return fit;
    u.r = &r;
    u.samples = samples;
    u.seed = seed;
    u.ess = ess;
    /* without a place of their own they stand where the bounds stood, which every search finds
     * anew */
    u.ll = ll ? ll : data->q.elbo;
    for (int w = 0; w < vdi_pool_threads(data->pool); w++)
        data->worker[w].status = VDI_OK;
    vdi_pool_run(data->pool, data->groups, vdi__plds_sample_group, &u);
    vdi_status status = vdi__plds_finish(data, where, err);
    if (status < 0) return status;
    if (sum) *sum = vdi_sum(VDI_F64, (size_t)data->trials, u.ll);
    return fit;
}

/* ---- predictions ----------------------------------------------------------------------------- */

typedef struct vdi__plds_forecast {
    vdi__plds_run r;
    const vdi_plds_prediction *out;
    int64_t window;
    double x[VDI_GAUSS_HERMITE_MAX], w[VDI_GAUSS_HERMITE_MAX];
    int nodes;
} vdi__plds_forecast;

/* Predictions on their way out, so many at a time, so that the quadrature runs in lanes. */
enum { VDI__PLDS_BATCH = 32 };
typedef struct vdi__plds_batch {
    const vdi__plds_forecast *u;
    int64_t count, at[VDI__PLDS_BATCH];
    double y[VDI__PLDS_BATCH], mean[VDI__PLDS_BATCH], variance[VDI__PLDS_BATCH],
        log_p[VDI__PLDS_BATCH];
} vdi__plds_batch;

VDI__FN void vdi__plds_flush(vdi__plds_batch *k) {
    const vdi_plds_prediction *out = k->u->out;
    if (out->log_p) {
        vdi_poisson_lognormal((size_t)k->count, k->y, k->mean, k->variance, k->u->nodes, k->u->x,
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
    k->y[k->count] = missing ? HUGE_VAL - HUGE_VAL : a->y[at];
    k->mean[k->count] = mean;
    k->variance[k->count] = VDI__MAX(variance, 0);
    if (++k->count == VDI__PLDS_BATCH) vdi__plds_flush(k);
}

VDI__FN bool vdi__plds_group_empty(const vdi__plds_fit *f) {
    for (int64_t i = 0; i < f->count; i++)
        if (f->length[i] > 0) return false;
    return true;
}

/* Neuron index % n of group index / n: the read-out without it, in the worker's own copy. A row of
 * zeros in C and a rate of exp(-1e300) = 0 take it out. */
VDI__FN void vdi__plds_leave_out(int64_t index, int worker, void *user) {
    const vdi__plds_forecast *u = (const vdi__plds_forecast *)user;
    vdi_plds_data *a = u->r.a;
    vdi__plds_worker *k = &a->worker[worker];
    const int64_t n = a->n, g = index / n, j = index % n;
    vdi__plds_fit f;
    if (k->status < 0) return;
    vdi__plds_group(&u->r, g, worker, &f);
    if (vdi__plds_group_empty(&f)) return;
    memcpy(k->readout.in, a->readout.in, (size_t)(n * a->K) * sizeof(double));
    memcpy(k->readout.out, a->readout.out, (size_t)(n * a->K) * sizeof(double));
    memcpy(k->readout.b, a->readout.b, (size_t)n * sizeof(double));
    for (int64_t i = 0; i < a->K; i++)
        k->readout.in[i * n + j] = k->readout.out[j * a->K + i] = 0;
    k->readout.b[j] = VDI__PLDS_NEVER;
    f.readout = k->readout;
    f.left_out = j;
    for (int64_t i = 0; i < f.count; i++)
        vdi__plds_open(&f, i, 0);
    vdi_status status = vdi__plds_solve(&u->r, &f, false, &k->err);
    if (status == VDI_OK && !f.converged) k->status = VDI_NOT_CONVERGED;
    if (status < 0) k->status = status;
    vdi__plds_batch batch;
    batch.u = u;
    batch.count = 0;
    for (int64_t i = 0; status >= 0 && i < f.count; i++) {
        for (int64_t t = 0; t < f.length[i]; t++) {
            vdi__plds_write(&batch, g * VDI__PLDS_GROUP + i, t, j, f.now.m + (i * a->T + t) * a->d,
                            f.now.S + (i * a->T + t) * a->d * a->d);
        }
    }
    vdi__plds_flush(&batch);
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

/* Predict bin t of each trial of a group from the `have` bins in its window. The trials are those
 * from `first` on. */
VDI__FN void vdi__plds_predict_bin(const vdi__plds_forecast *u, const vdi__plds_fit *f,
                                   int64_t first, int64_t t, int64_t have, double *small,
                                   vdi__plds_batch *batch) {
    const vdi_plds_data *a = u->r.a;
    const vdi_plds *p = u->r.p;
    const size_t d = (size_t)a->d;
    const size_t dd = d * d;
    double *m = small;
    double *S = m + d;
    double *AS = S + dd;
    for (int64_t i = 0; i < f->count; i++) {
        if (t >= a->lengths[first + i]) continue;
        memcpy(m, p->x0, d * sizeof *m);
        memcpy(S, p->Q0, dd * sizeof *S);
        if (t > 0) { /* one step of the prior from the last block */
            const double *z = f->now.m + (i * f->T + have - 1) * a->d;
            const double *P = f->now.S + (i * f->T + have - 1) * a->d * a->d;
            vdi_gemv(VDI_F64, 0, d, d, p->A, d, z, m);
            vdi_gemm(VDI_F64, 0, d, d, d, p->A, d, P, d, AS, d);
            memcpy(S, p->Q, dd * sizeof *S);
            vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, d, d, d, AS, d, p->A, d, S, d);
        }
        for (int64_t j = 0; j < a->n; j++)
            vdi__plds_write(batch, first + i, t, j, m, S);
    }
    vdi__plds_flush(batch);
}

/* The first of `have` blocks leaves the window: what it knows of its successor is kept in k->first
 * and k->first_h. */
VDI__FN vdi_status vdi__plds_leave(const vdi_plds_data *a, vdi__plds_fit *f, int64_t first,
                                   int64_t t, int64_t have, vdi__plds_worker *k) {
    const int64_t d = a->d;
    const int64_t dd = d * d;
    double *work = k->small + d + 2 * dd;
    double *D = f->next.D;
    double *E = f->next.E;
    double *h = f->next.k;
    for (int64_t i = 0; i < f->count; i++) {
        if (t >= a->lengths[first + i]) continue;
        const double *site = f->now.site + i * f->T * a->K;
        f->length[i] = VDI__MAX(have, 2); /* the block has a successor now */
        vdi__plds_precision(f, i, site, D, E);
        vdi__plds_information(f, i, site, f->now.m + i * f->T * d, h);
        vdi_status status =
            vdi__plds_absorb(f, D, h, k->first + i * dd, k->first_h + i * d, work, &k->err);
        if (status < 0) return status;
    }
    return VDI_OK;
}

/* The sites of the `keep` bins after the first `drop` stay; the new one has none. The window is
 * then keep + 1 bins. */
VDI__FN void vdi__plds_shift(vdi__plds_fit *f, int64_t drop, int64_t keep) {
    const int64_t d = f->d;
    const int64_t K = f->K;
    const int64_t T = keep + 1;
    double *site = f->next.site;
    for (int64_t i = 0; i < f->count; i++) {
        /* in place, from the front: T' <= T + 1 blocks per trial need no second array */
        memcpy(site + i * T * K, f->now.site + (i * f->T + drop) * K,
               (size_t)(keep * K) * sizeof(double));
        memset(site + (i * T + keep) * K, 0, (size_t)K * sizeof(double));
        memcpy(f->next.m + i * T * d, f->now.m + (i * f->T + drop) * d,
               (size_t)(keep * d) * sizeof(double));
    }
    memcpy(f->now.site, site, (size_t)(f->count * T * K) * sizeof(double));
    memcpy(f->now.m, f->next.m, (size_t)(f->count * T * d) * sizeof(double));
    f->T = T;
}

/* Bin t comes in, as the last of the window, which begins at bin `start`. */
VDI__FN void vdi__plds_enter(const vdi_plds_data *a, vdi__plds_fit *f, int64_t first, int64_t t,
                             int64_t start) {
    const int64_t d = a->d;
    const int64_t K = a->K;
    const int64_t T = f->T;
    for (int64_t i = 0; i < f->count; i++) {
        const bool inside = t < a->lengths[first + i];
        const int64_t at = ((first + i) * a->T + start) * a->n;
        f->length[i] = inside ? T : 0;
        f->y[i] = a->y + at;
        f->offset[i] = a->offset ? a->offset + at : NULL;
        if (!inside) continue;
        vdi__plds_open(f, i, 0);
        /* what is known before bin t: the old sites with their own information, which k of a
         * Gaussian at `now.m` gives if the new bin's is 0 */
        vdi__plds_precision(f, i, f->now.site + i * T * K, f->now.D + i * T * d * d,
                            f->now.E + i * (T - 1) * d * d);
        memset(f->now.m + (i * T + T - 1) * d, 0, (size_t)d * sizeof(double));
        vdi__plds_information(f, i, f->now.site + i * T * K, f->now.m + i * T * d,
                              f->now.k + i * T * d);
        double *last = f->now.k + (i * T + T - 1) * d;
        for (int64_t c = 0; c < d; c++)
            last[c] -= f->yC[(i * T + T - 1) * d + c];
    }
}

/* Fit the window to its best Gaussian. */
VDI__FN vdi_status vdi__plds_fit_window(vdi__plds_fit *f, vdi__plds_worker *k) {
    vdi_status status = vdi__plds_bt_init(f, &k->err);
    if (status == VDI_OK) status = vdi__plds_moments_of(f, &f->now, &k->err);
    if (status < 0) return status;
    for (int64_t i = 0; i < f->count; i++)
        if (f->length[i] > 0) vdi__plds_evaluate(f, i, &f->now);
    status = vdi__plds_ascend(f, 100, 1e-9, &k->err);
    if (status < 0) return status;
    if (!f->converged) k->status = VDI_NOT_CONVERGED;
    return VDI_OK;
}

/* Group g, bin after bin: predict, take the bin in, fit the last `window` bins to their best
 * Gaussian. */
VDI__FN vdi_status vdi__plds_walk(const vdi__plds_forecast *u, int64_t g, int worker,
                                  vdi__plds_worker *k) {
    vdi_plds_data *a = u->r.a;
    const int64_t d = a->d;
    const int64_t dd = d * d;
    const int64_t first = g * VDI__PLDS_GROUP;
    const int64_t W = VDI__MIN(u->window, a->T);
    const vdi__lds_prior *prior = &u->r.prior;
    int64_t longest = 0;
    vdi__plds_fit f;
    vdi_status status = VDI_OK;
    vdi__plds_batch batch;
    batch.u = u;
    batch.count = 0;
    vdi__plds_group(&u->r, g, worker, &f);
    for (int64_t i = 0; i < f.count; i++) {
        longest = VDI__MAX(longest, f.length[i]);
        memcpy(k->first + i * dd, prior->Q0i, (size_t)dd * sizeof(double));
        memcpy(k->first_h + i * d, prior->hx, (size_t)d * sizeof(double));
    }
    f.first = k->first;
    f.first_h = k->first_h;
    for (int64_t t = 0, start = 0; t < longest; t++) {
        const int64_t have = t - start; /* blocks in the window, before bin t comes in */
        const int64_t drop = have == W; /* how many of them leave it */
        vdi__plds_predict_bin(u, &f, first, t, have, k->small, &batch);
        if (t + 1 == longest) break;
        if (drop) status = vdi__plds_leave(a, &f, first, t, have, k);
        if (status < 0) return status;
        vdi__plds_shift(&f, drop, have - drop);
        start += drop;
        vdi__plds_enter(a, &f, first, t, start);
        if (vdi__plds_group_empty(&f)) break;
        status = vdi__plds_fit_window(&f, k);
        if (status < 0) return status;
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

VDI__DEF vdi_status vdi_plds_predict(const vdi_plds *plds, vdi_plds_data *data, vdi_plds_task task,
                                     const vdi_plds_prediction *out, vdi_error *err) {
    const char *where = "vdi_plds_predict";
    vdi__plds_forecast u;
    double *const place[4] = {out->mean, out->variance, out->rate, out->log_p};
    vdi_status status = vdi__plds_fits(plds, data, where, err);
    if (status == VDI_OK && task != VDI_PLDS_LEAVE_ONE_OUT && task != VDI_PLDS_ONE_STEP) {
        status = vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                               "task is %d, expected VDI_PLDS_LEAVE_ONE_OUT or VDI_PLDS_ONE_STEP",
                               (int)task);
    }
    if (status == VDI_OK && out->window < 0) {
        status = vdi_error_set(err, VDI_ERR_ARGUMENT, where, "window is %lld, expected 0 or more",
                               (long long)out->window);
    }
    u.nodes = out->nodes ? out->nodes : 24;
    if (status == VDI_OK) status = vdi_gauss_hermite(u.nodes, u.x, u.w, err);
    if (status == VDI_OK) status = vdi__plds_prepare(plds, data, &u.r, err);
    if (status < 0) return status;
    u.out = out;
    u.window = out->window ? out->window : 16;
    u.r.iterations = -1;
    u.r.tolerance = 1e-9;
    for (int i = 0; i < 4; i++) {
        if (place[i]) {
            vdi_fill(VDI_F64, (size_t)(data->trials * data->T * data->n), HUGE_VAL - HUGE_VAL,
                     place[i]);
        }
    }
    if (task == VDI_PLDS_LEAVE_ONE_OUT)
        vdi_pool_run(data->pool, data->groups * data->n, vdi__plds_leave_out, &u);
    else
        vdi_pool_run(data->pool, data->groups, vdi__plds_one_step, &u);
    return vdi__plds_finish(data, where, err);
}

/* ---- drawing --------------------------------------------------------------------------------- */

VDI__DEF size_t vdi_plds_simulate_work(const vdi_plds *plds) {
    vdi_lds chain = vdi__plds_chain(plds);
    return vdi_lds_simulate_work(&chain) + 2;
}

VDI__DEF vdi_status vdi_plds_simulate(const vdi_plds *plds, uint64_t seed, int64_t trials,
                                      int64_t T, double width, const double *offset, double *work,
                                      double *z, double *rate, double *y, vdi_error *err) {
    const int64_t d = plds->desc.d, n = plds->desc.n;
    vdi_lds chain = vdi__plds_chain(plds);
    double *one = work + vdi_lds_simulate_work(&chain);
    *one = 1;
    chain.R = one;
    vdi_status status = vdi_lds_simulate(&chain, seed, trials, T, NULL, work, z, NULL, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < trials; i++) {
        vdi_rng rng = vdi_rng_make(seed, ((uint64_t)1 << 32) + (uint64_t)i);
        for (int64_t t = 0; t < T; t++) {
            for (int64_t j = 0; j < n; j++) {
                int64_t at = (i * T + t) * n + j;
                double eta = plds->b[j] + (width > 0 ? log(width) : 0) + (offset ? offset[at] : 0);
                for (int64_t k = 0; k < d; k++)
                    eta += plds->C[j * d + k] * z[(i * T + t) * d + k];
                eta = exp(VDI__MIN(eta, 20)); /* half a billion spikes per bin: no count beyond */
                if (rate) rate[at] = eta;
                if (y) y[at] = (double)vdi_rng_poisson(&rng, eta);
            }
        }
    }
    return VDI_OK;
}
#endif
