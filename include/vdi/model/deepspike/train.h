/* model/deepspike/train.h - multi-sample bounds of DeepSpike, their gradients, and the steps that
 * follow them
 *
 * Do this:
 *     vdi_deepspike_progress p;
 *     while (vdi_deepspike_step(net, data, &p, &err) == VDI_OK)
 *         if (p.step % 100 == 0) printf("%lld: %g nats a bin\n", (long long)p.step, p.bound);
 *
 * A step takes `batch` snippets of one cell, draws K trains for each, and weighs them: w_k = p(f,
 * s_k) / q(s_k | f). With L = log mean_k w_k, omega_k = w_k / sum_j w_j and L_{-k} = log mean_{j !=
 * k} w_j (0 for K = 1), VIMCO's estimate of the gradient of E[L] is sum_k (L - L_{-k} - omega_k)
 * grad log q(s_k | f) + omega_k grad log p(f, s_k), without bias: a sum over samples, not the mean
 * of the published code. Only bins outside the buffers of a snippet count. The network is stepped
 * by Adam, the cell's theta by RMSprop. The other estimators: vdi_deepspike_weights,
 * docs/guide/spikes.md.
 */
#ifndef VDI_MODEL_DEEPSPIKE_TRAIN_H
#define VDI_MODEL_DEEPSPIKE_TRAIN_H
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

/** What a progress callback sees. */
typedef struct vdi_deepspike_progress {
    int64_t step, steps; /**< done, and in all */
    double bound;        /**< of the last step, nats per bin that counts; noisy. Supervised: mean
                              log q */
    double sleep;        /**< wake-sleep: mean log q of the dreams, nats per bin; else NaN */
    double rate;         /**< learning rate of the network */
    double norm;         /**< of its gradient, before clipping */
    int64_t cell;        /**< whose snippets they were */
} vdi_deepspike_progress;
/** Return false to stop: vdi_deepspike_fit then returns VDI_STOPPED, and goes on when it is called
 * again. */
typedef bool (*vdi_deepspike_progress_fn)(const vdi_deepspike_progress *p, void *user);

/** One step; VDI_END when the schedule is over. `p` may be NULL. A step that would leave the finite
 * numbers is an error
 *  (VDI_ERR_NUMERIC), and changes nothing. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_step(vdi_deepspike *m, vdi_deepspike_data *data,
                                                    vdi_deepspike_progress *p, vdi_error *err);
/** All steps that are left; `fn` may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_fit(vdi_deepspike *m, vdi_deepspike_data *data,
                                                   vdi_deepspike_progress_fn fn, void *user,
                                                   vdi_error *err);

/** A batch of one's own, for vdi_deepspike_loss. */
typedef struct vdi_deepspike_batch {
    int64_t count;        /**< snippets, all of one cell */
    const int64_t *trace; /**< (count) index of the trace */
    const int64_t *start; /**< (count) first frame */
    int64_t frames;       /**< of each snippet; buffers as in the description */
    const double *forced; /**< (count, streams, bins, samples): these trains instead of drawn ones;
                               or NULL */
    uint64_t draw;        /**< which random numbers to draw with */
} vdi_deepspike_batch;
/** The mean over snippets of the estimator's bound (nats of a snippet), and the estimate of its
 * gradient: MINUS that of the network is
 *  in the parameters' `grad`, that of theta is in d_theta (theta_count; may be NULL). Nothing else
 *  changes: for checks. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_loss(vdi_deepspike *m, vdi_deepspike_data *data,
                                                    const vdi_deepspike_batch *batch, double *bound,
                                                    double *d_theta, vdi_error *err);

#endif /* VDI_MODEL_DEEPSPIKE_TRAIN_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_TRAIN_C)
#define VDI_MODEL_DEEPSPIKE_TRAIN_C

/* ======== estimators ========================================================================== */

VDI__DEF void vdi_deepspike_weights(vdi_deepspike_estimator estimator, int64_t K,
                                    const double *log_w, double baseline, double *bound,
                                    double *to_q, double *to_p) {
    double top = -HUGE_VAL, sum = 0, total = 0;
    int64_t best = 0;
    for (int64_t k = 0; k < K; k++) {
        if (log_w[k] > top || log_w[k] != log_w[k]) {
            top = log_w[k];
            best = k;
        }
        total += log_w[k];
    }
    for (int64_t k = 0; k < K; k++) {
        to_p[k] = exp(log_w[k] - top);
        sum += to_p[k];
    }
    if (estimator == VDI_DEEPSPIKE_REINFORCE || estimator == VDI_DEEPSPIKE_CONCRETE) {
        *bound = total / (double)K;
        for (int64_t k = 0; k < K; k++) {
            const double others = K > 1 ? (total - log_w[k]) / (double)(K - 1) : baseline;
            to_p[k] = 1 / (double)K;
            to_q[k] = (log_w[k] - others - 1) / (double)K;
        }
        return;
    }
    /* without its largest member the sum may be anything smaller: then it is formed anew */
    double without = 0, second = -HUGE_VAL;
    for (int64_t k = 0; k < K; k++)
        if (k != best && log_w[k] > second) second = log_w[k];
    for (int64_t k = 0; k < K; k++)
        if (k != best) without += exp(log_w[k] - second);
    const double L = top + log(sum / (double)K);
    for (int64_t k = 0; k < K; k++) {
        const double rest = k == best ? second + log(without) : top + log(sum - to_p[k]);
        const double others = K > 1 ? rest - log((double)(K - 1)) : 0;
        to_q[k] = estimator == VDI_DEEPSPIKE_WAKE_SLEEP ? 0 : L - others - to_p[k] / sum;
        to_p[k] /= sum;
    }
    *bound = L;
}

/* ======== one snippet ========================================================================= */

/* rows of a supervised batch that run through the forward unit together */
#define VDI__DS_ROWS 32

/* What the jobs of a step share. Gradients come out as those of the bound. */
typedef struct vdi__ds_pass {
    vdi_deepspike *m;
    vdi_deepspike_estimator how;
    int64_t B, K, frames, bins, lo, hi; /* lo..hi: the bins that count */
    const void *x;                      /* (B,frames,streams) */
    const int64_t *trace;               /* (B) */
    const unsigned char *const *seen;   /* (B) of (frames) */
    const unsigned char *label;         /* (B,streams,bins), SUPERVISED */
    const double *forced;               /* (B,streams,bins,K) or NULL */
    const double *theta;                /* (P) */
    double baseline;
    uint64_t draw;
    const char *odds, *input, *amplitude; /* what the network said: (B,bins,streams), (B,bins,3H),
                                             (B,2) */
    char *d_odds, *d_input, *d_amplitude; /* its gradient */
    char *d_rnn;                          /* (jobs, weights of the forward unit) */
    double *bound, *d_theta;              /* (B), (B,P) */
    vdi_error *error;                     /* (jobs) */
} vdi__ds_pass;

enum { VDI__DS_RNG_BATCH = 1, VDI__DS_RNG_TRAIN, VDI__DS_RNG_DREAM, VDI__DS_RNG_INFER };
VDI__FN vdi_rng vdi__ds_rng(const vdi_deepspike *m, int purpose, uint64_t step, uint64_t index) {
    return vdi_rng_make(m->desc.train.seed, (uint64_t)purpose << 56 |
                                                (step & (((uint64_t)1 << 40) - 1)) << 16 |
                                                (index & 0xFFFF));
}

/* w_hh (H,3H), b_hh (3H), weight_spike (3H), weight_state (H) */
VDI__FN int64_t vdi__ds_rnn_size(int64_t H) { return 3 * H * H + 7 * H; }

/* The derivative of sum dz . log odds through the forward unit; dz (T,rows). weights: see
 * vdi__ds_rnn_size, added to. */
VDI__FN bool vdi__ds_rnn_back(const vdi__ds_rnn *r, const void *dz, char *d_input, char *d_odds,
                              char *weights, vdi_arena *a) {
    const vdi_dtype dtype = r->dtype;
    const size_t size = vdi_dtype_size(dtype);
    const size_t H = (size_t)r->H;
    const size_t rows = (size_t)r->rows;
    const size_t T = (size_t)r->T;
    char *dh = (char *)vdi_arena_alloc(a, T * rows * H * size);
    char *dx = (char *)vdi_arena_calloc(a, T * rows * 3 * H * size);
    void *work = vdi_arena_alloc(a, vdi_gru_backward_work(T, rows, H) * size);
    char *two = (char *)vdi_arena_alloc(a, 2 * rows * size);
    char *pair = (char *)vdi_arena_alloc(a, 6 * H * size);
    if (!dh || !dx || !work || !two || !pair) return false;
    char *dw = weights;
    char *db = dw + 3 * H * H * size;
    char *d_spike = db + 3 * H * size;
    char *d_state = d_spike + 3 * H * size;
    vdi_gemm(dtype, 0, T * rows, H, 1, dz, 1, r->w_state, H, dh, H);
    vdi_gemv(dtype, VDI_GEMM_TA | VDI_GEMM_ACC, T * rows, H, r->h, H, dz, d_state);
    vdi_gru_backward(dtype, T, rows, H, false, r->w_hh, NULL, r->h, r->gates, dh, work, dx, dw, db,
                     NULL);
    const bool shared = r->input_step == 0;
    vdi_fill(dtype, rows, 1, two);
    for (size_t t = 0; t < T; t++) {
        const char *from = dx + t * rows * 3 * H * size, *z = (const char *)dz + t * rows * size;
        const char *last = t ? (const char *)r->train + (t - 1) * rows * size : NULL;
        if (shared) { /* the sum over rows, and over those that follow a spike */
            if (last) memcpy(two + rows * size, last, rows * size);
            vdi_gemm(dtype, 0, last ? 2 : 1, 3 * H, rows, two, rows, from, 3 * H, pair, 3 * H);
            memcpy(d_input + t * 3 * H * size, pair, 3 * H * size);
            if (last) vdi_axpby(dtype, 3 * H, 1, pair + 3 * H * size, 1, d_spike);
            vdi_sum_rows(dtype, rows, 1, z, 1, false, d_odds + t * size);
            continue;
        }
        if (last)
            vdi_gemv(dtype, VDI_GEMM_TA | VDI_GEMM_ACC, rows, 3 * H, from, 3 * H, last, d_spike);
        for (size_t k = 0; k < rows; k++) {
            memcpy(d_input + (k * (size_t)r->input_step + t * 3 * H) * size,
                   from + k * 3 * H * size, 3 * H * size);
            memcpy(d_odds + (k * (size_t)r->odds_step + t) * size, z + k * size, size);
        }
    }
    return true;
}

/* dz of log odds given coefficients c_k of log q(s_k): c_k (s - p), 0 in the buffers and where p is
   held at its limits. (T,rows) arrays; c NULL: 1 */
VDI__FN void vdi__ds_odds_grad(const vdi__ds_pass *g, int64_t rows, const void *train,
                               const void *probability, const double *c, void *dz) {
    const vdi_dtype dtype = g->m->desc.dtype;
    const double low = g->m->desc.floor, limit = low * (1 + 1e-6);
    for (int64_t t = 0; t < g->bins; t++) {
        for (int64_t k = 0; k < rows; k++) {
            const int64_t i = t * rows + k;
            const double p = vdi_dtype_load(dtype, probability, i);
            const double s = vdi_dtype_load(dtype, train, i);
            const bool counts = t >= g->lo && t < g->hi && p > limit && p < 1 - limit;
            vdi_dtype_store(dtype, dz, i, counts ? (c ? c[k] : 1) * (s - p) : 0);
        }
    }
}

VDI__FN double vdi__ds_log_binomial(double n, double k) {
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1);
}

/* What is kept of the trains of a snippet. */
typedef struct vdi__ds_trains {
    int64_t K;
    char *train;           /* (streams,bins,K) */
    char *probability;     /* factorised: (streams,bins), held; correlated: (bins,K) */
    char *odds;            /* concrete: the relaxed log odds (streams,bins,K) / temperature */
    double *log_q, *prior; /* (K) */
    double kl;             /* concrete: KL(q | prior) */
} vdi__ds_trains;

/* Draw (or read) the trains of an independent-bins posterior, and score them. */
VDI__FN vdi_status vdi__ds_factorised(const vdi__ds_pass *g, int64_t b, const char *uniform,
                                      vdi__ds_trains *s, vdi_arena *a) {
    const vdi_deepspike_desc *d = &g->m->desc;
    const vdi_dtype dtype = d->dtype;
    const size_t size = vdi_dtype_size(dtype), K = (size_t)s->K, n = (size_t)(g->hi - g->lo);
    const int M = d->generative.streams;
    char *score = (char *)vdi_arena_alloc(a, (size_t)g->bins * size);
    char *sum = (char *)vdi_arena_alloc(a, 2 * K * size);
    char *one = (char *)vdi_arena_alloc(a, n * size);
    if (!score || !sum || !one) return VDI_ERR_MEMORY;
    vdi_fill(dtype, n, 1, one);
    for (size_t k = 0; k < K; k++)
        s->log_q[k] = s->prior[k] = 0;
    s->kl = 0;
    for (int j = 0; j < M; j++) {
        double rest = 0;
        const double rate = d->prior_rate[j], prior_odds = log(rate / (1 - rate));
        char *train = s->train + (size_t)j * (size_t)g->bins * K * size;
        char *p = s->probability + (size_t)j * (size_t)g->bins * size;
        const char *u = uniform ? uniform + (size_t)j * (size_t)g->bins * K * size : NULL;
        for (int64_t t = 0; t < g->bins; t++)
            vdi_dtype_store(dtype, p, t, vdi_dtype_load(dtype, g->odds, (b * g->bins + t) * M + j));
        vdi__ds_probability(dtype, d->floor, g->bins, p, p);
        for (int64_t t = 0; t < g->bins; t++) {
            const double q = vdi_dtype_load(dtype, p, t), odds = log(q / (1 - q));
            const bool counts = t >= g->lo && t < g->hi;
            vdi_dtype_store(dtype, score, t, odds);
            if (counts) {
                rest += log1p(-q);
                s->kl += q * (odds - prior_odds) + log1p(-q) - log1p(-rate);
            }
            if (g->how == VDI_DEEPSPIKE_CONCRETE) {
                for (size_t k = 0; k < K; k++) {
                    const double v = vdi_dtype_load(dtype, u, (int64_t)((size_t)t * K + k));
                    const double w = VDI__MIN(VDI__MAX(v, 1e-7), 1 - 1e-7);
                    vdi_dtype_store(dtype, train, (int64_t)((size_t)t * K + k),
                                    (odds + log(w / (1 - w))) / d->train.temperature);
                }
                vdi_sigmoid(dtype, K, train + (size_t)t * K * size, train + (size_t)t * K * size);
            } else if (u && dtype == VDI_F32) {
                const float *from = (const float *)(const void *)u + (size_t)t * K;
                const float limit = (float)q;
                float *to = (float *)(void *)train + (size_t)t * K;
                for (size_t k = 0; k < K; k++)
                    to[k] = from[k] < limit ? 1.0f : 0.0f;
            } else if (u) {
                const double *from = (const double *)(const void *)u + (size_t)t * K;
                double *to = (double *)(void *)train + (size_t)t * K;
                for (size_t k = 0; k < K; k++)
                    to[k] = from[k] < q ? 1.0 : 0.0;
            }
        }
        const char *from = train + (size_t)g->lo * K * size;
        vdi_gemv(dtype, VDI_GEMM_TA, n, K, from, K, score + (size_t)g->lo * size, sum);
        vdi_gemv(dtype, VDI_GEMM_TA, n, K, from, K, one, sum + K * size);
        for (size_t k = 0; k < K; k++) {
            const double count = vdi_dtype_load(dtype, sum, (int64_t)(K + k));
            s->log_q[k] += rest + vdi_dtype_load(dtype, sum, (int64_t)k);
            s->prior[k] += count * prior_odds + (double)n * log1p(-rate);
            if (d->prior == VDI_DEEPSPIKE_COUNT)
                s->prior[k] += vdi__ds_log_binomial((double)n, count);
        }
    }
    return VDI_OK;
}

/* log q and prior of the trains that the forward unit has drawn or read. */
VDI__FN void vdi__ds_score_rnn(const vdi__ds_pass *g, int64_t rows, const void *train,
                               const void *probability, double *log_q, double *prior) {
    const vdi_deepspike_desc *d = &g->m->desc;
    const double rate = d->prior_rate[0];
    const double prior_odds = log(rate / (1 - rate));
    const double n = (double)(g->hi - g->lo);
    for (int64_t k = 0; k < rows; k++) {
        double sum = 0, count = 0;
        for (int64_t t = g->lo; t < g->hi; t++) {
            const double s = vdi_dtype_load(d->dtype, train, t * rows + k);
            const double p = vdi_dtype_load(d->dtype, probability, t * rows + k);
            sum += s != 0 ? log(p) : log1p(-p);
            count += s;
        }
        log_q[k] = sum;
        if (prior) {
            prior[k] = count * prior_odds + n * log1p(-rate) +
                       (d->prior == VDI_DEEPSPIKE_COUNT ? vdi__ds_log_binomial(n, count) : 0);
        }
    }
}

/* A supervised group of snippets [from, to): its labels are the trains. */
VDI__FN vdi_status vdi__ds_job_labels(vdi__ds_pass *g, int64_t job, vdi__ds_worker *w) {
    const vdi_deepspike_desc *d = &g->m->desc;
    const vdi_dtype dtype = d->dtype;
    const int64_t size = (int64_t)vdi_dtype_size(dtype);
    const int64_t from = job * VDI__DS_ROWS;
    const int64_t rows = VDI__MIN(g->B - from, VDI__DS_ROWS);
    const int64_t bins = g->bins;
    const int M = d->generative.streams;
    if (d->posterior == VDI_DEEPSPIKE_FACTORISED) {
        char *p = (char *)vdi_arena_alloc(&w->arena, (size_t)(bins * M * size));
        if (!p) return VDI_ERR_MEMORY;
        for (int64_t b = from; b < from + rows; b++) {
            double sum = 0;
            vdi__ds_probability(dtype, d->floor, bins * M, g->odds + b * bins * M * size, p);
            for (int64_t t = 0; t < bins; t++) {
                for (int j = 0; j < M; j++) {
                    const double q = vdi_dtype_load(dtype, p, t * M + j);
                    const double limit = d->floor * (1 + 1e-6);
                    const bool spike = g->label[(b * M + j) * bins + t] != 0;
                    const bool counts = t >= g->lo && t < g->hi;
                    if (counts) sum += spike ? log(q) : log1p(-q);
                    vdi_dtype_store(dtype, g->d_odds, (b * bins + t) * M + j,
                                    counts && q > limit && q < 1 - limit ? (double)spike - q : 0);
                }
            }
            g->bound[b] = sum;
        }
        return VDI_OK;
    }
    const int64_t H = d->hidden;
    vdi__ds_rnn r = vdi__ds_rnn_of(g->m, rows, bins);
    void *dz = vdi_arena_alloc(&w->arena, (size_t)(bins * rows * size));
    if (!dz || !vdi__ds_rnn_room(&r, &w->arena, true)) return VDI_ERR_MEMORY;
    r.input = g->input + from * bins * 3 * H * size;
    r.odds = g->odds + from * bins * size;
    r.input_step = bins * 3 * H;
    r.odds_step = bins;
    for (int64_t t = 0; t < bins; t++) {
        for (int64_t k = 0; k < rows; k++)
            vdi_dtype_store(dtype, r.train, t * rows + k, g->label[(from + k) * bins + t] ? 1 : 0);
    }
    vdi__ds_rnn_run(&r);
    vdi__ds_score_rnn(g, rows, r.train, r.probability, g->bound + from, NULL);
    vdi__ds_odds_grad(g, rows, r.train, r.probability, NULL, dz);
    return vdi__ds_rnn_back(&r, dz, g->d_input + from * bins * 3 * H * size,
                            g->d_odds + from * bins * size,
                            g->d_rnn + job * vdi__ds_rnn_size(H) * size, &w->arena)
               ? VDI_OK
               : VDI_ERR_MEMORY;
}

/* One snippet with its K trains. */
VDI__FN vdi_status vdi__ds_job_samples(vdi__ds_pass *g, int64_t b, vdi__ds_worker *w,
                                       vdi_error *err) {
    static const char where[] = "vdi_deepspike_step";
    vdi_deepspike *m = g->m;
    const vdi_deepspike_desc *d = &m->desc;
    const vdi_deepspike_generative *gen = &d->generative;
    const vdi_dtype dtype = d->dtype;
    const bool correlated = d->posterior == VDI_DEEPSPIKE_CORRELATED;
    const bool concrete = g->how == VDI_DEEPSPIKE_CONCRETE;
    const int64_t K = g->K;
    const int64_t bins = g->bins;
    const int64_t P = gen->theta_count;
    const int64_t H = d->hidden;
    const int64_t R = d->upsample;
    const int64_t M = gen->streams;
    const size_t size = vdi_dtype_size(dtype), trains = (size_t)(M * bins * K);
    vdi_arena *a = &w->arena;
    vdi_rng rng = vdi__ds_rng(m, VDI__DS_RNG_TRAIN, g->draw, (uint64_t)b);
    double *number = (double *)vdi_arena_alloc(a, (size_t)(8 * K) * sizeof *number);
    char *uniform = g->forced ? NULL : (char *)vdi_arena_alloc(a, trains * size);
    char *target = (char *)vdi_arena_calloc(a, (size_t)(2 * M * bins) * size);
    char *theta = (char *)vdi_arena_calloc(a, 2 * (size_t)(P * (d->amplitude ? K : 1)) * size);
    if (!number || (!uniform && !g->forced) || !target || !theta)
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the samples");
    double *log_w = number;
    double *to_q = number + K;
    double *to_p = number + 2 * K;
    double *log_p = number + 3 * K;
    double *amp = number + 4 * K;
    double *eps = number + 5 * K;
    vdi__ds_trains s = VDI__ZERO;
    vdi__ds_rnn r = vdi__ds_rnn_of(m, K, bins);
    s.K = K;
    s.log_q = number + 6 * K;
    s.prior = number + 7 * K;
    if (uniform) vdi_rng_fill_uniform(&rng, dtype, (int64_t)trains, uniform);
    if (correlated) {
        if (!vdi__ds_rnn_room(&r, a, g->how != VDI_DEEPSPIKE_WAKE_SLEEP))
            return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the forward unit");
        r.input = g->input + (size_t)(b * bins * 3 * H) * size;
        r.odds = g->odds + (size_t)(b * bins) * size;
        r.uniform = uniform;
        s.train = (char *)r.train;
        s.probability = (char *)r.probability;
    } else {
        s.train = (char *)vdi_arena_alloc(a, trains * size);
        s.probability = (char *)vdi_arena_alloc(a, (size_t)(M * bins) * size);
        if (!s.train || !s.probability)
            return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the samples");
    }
    if (g->forced) {
        for (size_t i = 0; i < trains; i++)
            vdi_dtype_store(dtype, s.train, (int64_t)i, g->forced[(size_t)b * trains + i]);
    }
    if (correlated) {
        vdi__ds_rnn_run(&r);
        vdi__ds_score_rnn(g, K, r.train, r.probability, s.log_q, s.prior);
    } else if (vdi__ds_factorised(g, b, uniform, &s, a) < 0) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the samples");
    }

    /* the generative model, on this worker's tape */
    char *f = target, *mask = target + (size_t)(M * bins) * size;
    for (int64_t j = 0; j < M; j++) {
        for (int64_t t = 0; t < bins; t++) {
            /* a frame is what has come together at the end of its last bin */
            const int64_t frame = t / R;
            const bool counts = t % R == R - 1 && t >= g->lo && t < g->hi && g->seen[b][frame];
            vdi_dtype_store(dtype, f, j * bins + t,
                            counts ? vdi_dtype_load(dtype, g->x, (b * g->frames + frame) * M + j)
                                   : 0);
            vdi_dtype_store(dtype, mask, j * bins + t, counts ? 1 : 0);
        }
    }
    vdi_tape *t = w->tape;
    vdi_tape_reset(t);
    vdi_calcium_info info = VDI__ZERO;
    info.samples = K;
    info.batch = 1;
    info.T = bins;
    info.streams = (int)M;
    info.time_major = true;
    info.bin = gen->calcium.bin > 0 ? gen->calcium.bin : 1.0 / 60;
    int64_t shape[4];
    shape[0] = M;
    shape[1] = bins;
    shape[2] = K;
    shape[3] = 1;
    const int skip = M > 1 ? 0 : 1;
    vdi_tensor tensor = vdi_tensor_view(s.train, dtype, 4 - skip, shape + skip);
    vdi_var spikes = concrete ? vdi_tape_variable(t, tensor) : vdi_tape_constant(t, tensor);
    shape[2] = 1;
    vdi_var fv = vdi_tape_constant(t, vdi_tensor_view(f, dtype, 3 - skip, shape + skip));
    vdi_var mv = vdi_tape_constant(t, vdi_tensor_view(mask, dtype, 3 - skip, shape + skip));
    double sd = 0, slope = 0;
    vdi_var tv = vdi_var_none();
    if (d->amplitude) {
        const double mean = vdi_dtype_load(dtype, g->amplitude, 2 * b);
        const double raw = vdi_dtype_load(dtype, g->amplitude, 2 * b + 1) - 2;
        sd = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw);
        slope = vdi_calcium_natural(VDI_CALCIUM_SIGMOID, raw);
        for (int64_t k = 0; k < K; k++) {
            eps[k] = vdi_rng_normal(&rng);
            amp[k] = mean + sd * eps[k];
            for (int64_t i = 0; i < P; i++) {
                vdi_dtype_store(dtype, theta, k * P + i,
                                g->theta[i] + (i == gen->amplitude ? amp[k] : 0));
            }
        }
        shape[0] = K;
        shape[1] = 1;
        shape[2] = P;
        tv = vdi_tape_variable(t, vdi_tensor_view(theta, dtype, 3, shape));
    } else if (P > 0) {
        for (int64_t i = 0; i < P; i++)
            vdi_dtype_store(dtype, theta, i, g->theta[i]);
        tv = vdi_tape_variable(t, vdi_tensor_1d(theta, dtype, P));
    }
    vdi_var ll = gen->log_likelihood(t, spikes, fv, mv, tv, &info, gen->user);
    vdi_status status = vdi_tape_status(t, err);
    if (status < 0) return status;
    const vdi_tensor value = vdi_tape_value(t, ll);
    if (vdi_tensor_count(value) != K) {
        char text[VDI_SHAPE_TEXT];
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "the log likelihood is %s, expected (%lld,1)",
                             vdi_tensor_shape_text(value, text), (long long)K);
    }
    for (int64_t k = 0; k < K; k++) {
        log_p[k] = vdi_dtype_load(value.dtype, value.data, k);
        log_w[k] = concrete ? log_p[k] - s.kl : log_p[k] + s.prior[k] - s.log_q[k];
        if (d->amplitude) {
            log_w[k] += 0.5 * eps[k] * eps[k] + log(sd) -
                        0.5 * amp[k] * amp[k] / (d->amplitude_spread * d->amplitude_spread) -
                        log(d->amplitude_spread);
        }
    }
    vdi_deepspike_weights(g->how, K, log_w, g->baseline, &g->bound[b], to_q, to_p);
    if (!(g->bound[b] - g->bound[b] == 0)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where, "the bound of snippet %lld is not finite",
                             (long long)b);
    }

    /* theta, amplitude and relaxed spikes through the tape */
    double *cotangent = log_p;
    memcpy(cotangent, to_p, (size_t)K * sizeof *cotangent);
    if (vdi_var_needs_grad(t, ll)) {
        vdi_tensor c = value;
        c.data = cotangent;
        c.dtype = VDI_F64;
        (void)vdi_tape_backward_from(t, ll, c);
        status = vdi_tape_status(t, err);
        if (status < 0) return status;
    }
    const vdi_tensor dtheta =
        vdi_var_ok(tv) ? vdi_tape_grad(t, tv) : vdi_tape_grad(t, vdi_var_none());
    double d_mean = 0, d_sd = 0;
    for (int64_t i = 0; i < P; i++)
        g->d_theta[b * P + i] = 0;
    for (int64_t k = 0; vdi_tensor_ok(dtheta) && k < (d->amplitude ? K : 1); k++) {
        for (int64_t i = 0; i < P; i++) {
            const double v = vdi_dtype_load(dtheta.dtype, dtheta.data, k * P + i);
            g->d_theta[b * P + i] += v;
            if (d->amplitude && i == gen->amplitude) {
                d_mean += v;
                d_sd += v * eps[k];
            }
        }
    }
    if (d->amplitude) {
        for (int64_t k = 0; k < K; k++) {
            const double pull = -to_p[k] * amp[k] / (d->amplitude_spread * d->amplitude_spread);
            d_mean += pull;
            d_sd += pull * eps[k] + to_p[k] / sd;
        }
        vdi_dtype_store(dtype, g->d_amplitude, 2 * b, d_mean);
        vdi_dtype_store(dtype, g->d_amplitude, 2 * b + 1, d_sd * slope);
    }
    if (g->how == VDI_DEEPSPIKE_WAKE_SLEEP) return VDI_OK;

    /* log odds */
    if (correlated) {
        vdi__ds_odds_grad(g, K, r.train, r.probability, to_q,
                          uniform ? (void *)uniform : (void *)r.z);
        if (!uniform) { /* forced trains left no room for it */
            void *dz = vdi_arena_alloc(a, (size_t)(bins * K) * size);
            if (!dz)
                return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the forward unit");
            vdi__ds_odds_grad(g, K, r.train, r.probability, to_q, dz);
            uniform = (char *)dz;
        }
        return vdi__ds_rnn_back(&r, uniform, g->d_input + (size_t)(b * bins * 3 * H) * size,
                                g->d_odds + (size_t)(b * bins) * size,
                                g->d_rnn + (size_t)(b * vdi__ds_rnn_size(H)) * size, a)
                   ? VDI_OK
                   : vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the forward unit");
    }
    const vdi_tensor relaxed =
        concrete ? vdi_tape_grad(t, spikes) : vdi_tape_grad(t, vdi_var_none());
    char *c = (char *)vdi_arena_alloc(a, (size_t)K * size);
    char *along = (char *)vdi_arena_alloc(a, (size_t)bins * size);
    if (!c || !along)
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the gradient");
    double all = 0;
    for (int64_t k = 0; k < K; k++) {
        vdi_dtype_store(dtype, c, k, to_q[k]);
        all += vdi_dtype_load(dtype, c, k);
    }
    for (int64_t j = 0; j < M; j++) {
        const double rate = d->prior_rate[j];
        const double prior_odds = log(rate / (1 - rate));
        const double limit = d->floor * (1 + 1e-6);
        vdi_gemv(dtype, 0, (size_t)bins, (size_t)K, s.train + (size_t)(j * bins * K) * size,
                 (size_t)K, c, along);
        for (int64_t i = 0; i < bins; i++) {
            const double p = vdi_dtype_load(dtype, s.probability, j * bins + i);
            const bool free_ = p > limit && p < 1 - limit, counts = i >= g->lo && i < g->hi;
            double v = counts ? vdi_dtype_load(dtype, along, i) - all * p : 0;
            if (concrete) {
                v = counts ? -p * (1 - p) * (log(p / (1 - p)) - prior_odds) : 0;
                for (int64_t k = 0; vdi_tensor_ok(relaxed) && k < K; k++) {
                    const int64_t at = (j * bins + i) * K + k;
                    const double y = vdi_dtype_load(dtype, s.train, at);
                    v += vdi_dtype_load(dtype, relaxed.data, at) * y * (1 - y) /
                         d->train.temperature;
                }
            }
            vdi_dtype_store(dtype, g->d_odds, (b * bins + i) * M + j, free_ ? v : 0);
        }
    }
    return VDI_OK;
}

VDI__FN void vdi__ds_job(int64_t index, int worker, void *user) {
    vdi__ds_pass *g = (vdi__ds_pass *)user;
    vdi__ds_worker *w = &g->m->worker[worker];
    vdi_error *err = &g->error[index];
    vdi_arena_reset(&w->arena);
    err->status = VDI_OK;
    vdi_status status = g->how == VDI_DEEPSPIKE_SUPERVISED ? vdi__ds_job_labels(g, index, w)
                                                           : vdi__ds_job_samples(g, index, w, err);
    if (status < 0 && err->status >= 0)
        (void)vdi_error_set(err, status, "vdi_deepspike_step", "no memory for a group of snippets");
}

/* ======== a batch ============================================================================= */

VDI__FN void vdi__ds_buffers(const vdi_deepspike *m, vdi__ds_pass *g) {
    const vdi_deepspike_train *tr = &m->desc.train;
    int64_t first = tr->buffer_first, last = tr->buffer_last;
    if (g->frames < tr->snippet) {
        first = first * g->frames / tr->snippet;
        last = last * g->frames / tr->snippet;
    }
    g->bins = g->frames * m->desc.upsample;
    g->lo = first * m->desc.upsample;
    g->hi = g->bins - last * m->desc.upsample;
}

/* Network, jobs, and the gradient of -bound/B added to the parameters. The theta gradient of each
 * snippet is left in g->d_theta. */
VDI__FN vdi_status vdi__ds_batch_run(vdi_deepspike *m, vdi__ds_pass *g, double *mean,
                                     vdi_error *err) {
    static const char where[] = "vdi_deepspike_step";
    const vdi_deepspike_desc *d = &m->desc;
    const vdi_dtype dtype = d->dtype;
    const bool correlated = d->posterior == VDI_DEEPSPIKE_CORRELATED;
    const bool labels = g->how == VDI_DEEPSPIKE_SUPERVISED;
    const bool wake = g->how == VDI_DEEPSPIKE_WAKE_SLEEP;
    const size_t size = vdi_dtype_size(dtype);
    const int64_t B = g->B;
    const int64_t P = d->generative.theta_count;
    const int64_t M = d->generative.streams;
    const int64_t H = d->hidden;
    const int64_t jobs = labels ? (B + VDI__DS_ROWS - 1) / VDI__DS_ROWS : B;
    const size_t weights = correlated ? (size_t)vdi__ds_rnn_size(H) : 0;
    vdi_arena *a = &m->arena;
    g->m = m;
    vdi_tape_reset(m->tape);
    const bool old = vdi_tape_set_no_grad(m->tape, wake && !d->amplitude);
    vdi__ds_graph net = vdi__ds_network(
        m, m->tape,
        vdi_tape_constant(m->tape, vdi_tensor_3d((void *)(uintptr_t)g->x, dtype, B, g->frames, M)),
        g->trace);
    (void)vdi_tape_set_no_grad(m->tape, old);
    vdi_status status = vdi_tape_status(m->tape, err);
    if (status < 0) return status;
    vdi_var from[3];
    vdi_tensor cotangent[3];
    int outputs = 0;
    from[outputs] = net.odds;
    cotangent[outputs++] = vdi_tape_value(m->tape, net.odds);
    if (correlated) {
        from[outputs] = net.input;
        cotangent[outputs++] = vdi_tape_value(m->tape, net.input);
    }
    if (d->amplitude) {
        from[outputs] = net.amplitude;
        cotangent[outputs++] = vdi_tape_value(m->tape, net.amplitude);
    }
    g->odds = (const char *)cotangent[0].data;
    g->input = correlated ? (const char *)cotangent[1].data : NULL;
    g->amplitude = d->amplitude ? (const char *)cotangent[outputs - 1].data : NULL;
    g->bound = (double *)vdi_arena_alloc(a, (size_t)B * sizeof(double));
    g->d_theta = (double *)vdi_arena_calloc(a, (size_t)(B * P + 1) * sizeof(double));
    g->error = (vdi_error *)vdi_arena_alloc(a, (size_t)jobs * sizeof(vdi_error));
    g->d_rnn = (char *)vdi_arena_calloc(a, weights * (size_t)jobs * size + 1);
    bool room = g->bound && g->d_theta && g->error && g->d_rnn;
    for (int i = 0; i < outputs; i++) {
        cotangent[i].data = vdi_arena_calloc(a, vdi_tensor_bytes(cotangent[i]));
        room = room && cotangent[i].data;
    }
    if (!room) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for a batch");
    g->d_odds = (char *)cotangent[0].data;
    g->d_input = correlated ? (char *)cotangent[1].data : NULL;
    g->d_amplitude = d->amplitude ? (char *)cotangent[outputs - 1].data : NULL;
    vdi_pool_run(d->pool, jobs, vdi__ds_job, g);
    for (int64_t i = 0; i < jobs; i++) {
        if (g->error[i].status < 0) {
            if (err) *err = g->error[i];
            return g->error[i].status;
        }
    }
    double sum = 0;
    for (int64_t b = 0; b < B; b++)
        sum += g->bound[b];
    *mean = sum / (double)B;
    if (wake && !d->amplitude) return VDI_OK;
    const double scale = -1 / (double)B;
    for (int i = 0; i < outputs; i++) {
        vdi_axpby(dtype, (size_t)vdi_tensor_count(cotangent[i]), 0, cotangent[i].data, scale,
                  cotangent[i].data);
    }
    if (correlated && !wake) {
        const vdi_param *rnn = m->params->item + m->rnn;
        const vdi_param *item[4];
        item[0] = &rnn[VDI__DS_FORWARD + 2];
        item[1] = &rnn[VDI__DS_FORWARD + 3];
        item[2] = &rnn[VDI__DS_SPIKE];
        item[3] = &rnn[VDI__DS_STATE];
        for (int64_t j = 0; j < jobs; j++) {
            const char *w = g->d_rnn + weights * (size_t)j * size;
            for (int i = 0; i < 4; i++) {
                const size_t n = (size_t)vdi_tensor_count(item[i]->grad);
                if (!item[i]->frozen) vdi_axpby(dtype, n, scale, w, 1, item[i]->grad.data);
                w += n * size;
            }
        }
    }
    /* of a wake phase the network learns the amplitude alone */
    const int first = wake ? outputs - 1 : 0;
    (void)vdi_tape_backward_many(m->tape, outputs - first, from + first, cotangent + first);
    return vdi_tape_status(m->tape, err);
}

/* x (count,frames,streams) of snippets, and which frames were seen. */
VDI__FN bool vdi__ds_gather(vdi_deepspike *m, const vdi_deepspike_data *data,
                            const vdi_deepspike_batch *batch, vdi__ds_pass *g) {
    const size_t size = vdi_dtype_size(m->desc.dtype), row = (size_t)data->streams * size;
    const int64_t n = batch->count, frames = batch->frames, bins = frames * m->desc.upsample;
    char *x = (char *)vdi_arena_alloc(&m->arena, (size_t)(n * frames) * row);
    const unsigned char **seen =
        (const unsigned char **)vdi_arena_alloc(&m->arena, (size_t)n * sizeof *seen);
    unsigned char *label =
        (unsigned char *)vdi_arena_alloc(&m->arena, (size_t)(n * data->streams * bins));
    if (!x || !seen || !label) return false;
    for (int64_t b = 0; b < n; b++) {
        const int64_t i = batch->trace[b], at = i * data->frames + batch->start[b];
        memcpy(x + (size_t)(b * frames) * row, (const char *)data->x + (size_t)at * row,
               (size_t)frames * row);
        seen[b] = data->seen + at;
        for (int j = 0; data->label && j < data->streams; j++) {
            memcpy(label + (b * data->streams + j) * bins,
                   data->label + (i * data->streams + j) * data->bins +
                       batch->start[b] * m->desc.upsample,
                   (size_t)bins);
        }
    }
    g->B = n;
    g->frames = frames;
    g->x = x;
    g->trace = batch->trace;
    g->seen = seen;
    g->label = data->label ? label : NULL;
    g->K = m->desc.train.samples;
    vdi__ds_buffers(m, g);
    return true;
}

VDI__FN vdi_status vdi__ds_fits(const vdi_deepspike *m, const vdi_deepspike_data *data,
                                const char *where, vdi_error *err) {
    const vdi_deepspike_desc *d = &m->desc;
    if (data->dtype != d->dtype || data->streams != d->generative.streams ||
        data->theta_count != d->generative.theta_count ||
        data->bins != data->frames * d->upsample) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "the data were made for another network");
    }
    if (d->train.estimator == VDI_DEEPSPIKE_SUPERVISED && !data->label) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "the supervised estimator needs labels, the data have none");
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_deepspike_loss(vdi_deepspike *m, vdi_deepspike_data *data,
                                       const vdi_deepspike_batch *batch, double *bound,
                                       double *d_theta, vdi_error *err) {
    static const char where[] = "vdi_deepspike_loss";
    vdi_status status = vdi__ds_fits(m, data, where, err);
    if (status < 0) return status;
    if (batch->count < 1 || batch->frames < 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "count is %lld, frames %lld",
                             (long long)batch->count, (long long)batch->frames);
    }
    for (int64_t b = 0; b < batch->count; b++) {
        const int64_t i = batch->trace[b];
        if (i < 0 || i >= data->traces || batch->start[b] < 0 ||
            batch->start[b] + batch->frames > data->length[i] ||
            data->cell[i] != data->cell[batch->trace[0]]) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "snippet %lld is not inside its trace, or of another cell",
                                 (long long)b);
        }
    }
    vdi__ds_pass g = VDI__ZERO;
    const int64_t cell = data->cell[batch->trace[0]], P = data->theta_count;
    vdi_arena_reset(&m->arena);
    if (!vdi__ds_gather(m, data, batch, &g))
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for a batch");
    g.how = m->desc.train.estimator;
    g.forced = batch->forced;
    g.draw = batch->draw;
    g.theta = data->theta + cell * P;
    g.baseline = data->baseline[2 * cell];
    vdi_params_zero_grad(m->params);
    status = vdi__ds_batch_run(m, &g, bound, err);
    if (status < 0) return status;
    for (int64_t i = 0; d_theta && i < P; i++) {
        d_theta[i] = 0;
        for (int64_t b = 0; b < g.B; b++)
            d_theta[i] += g.d_theta[b * P + i] / (double)g.B;
    }
    return VDI_OK;
}

/* ======== a step ============================================================================== */

/* Snippets of one cell: the cell with a chance in proportion to its frames, then places in its
 * traces. */
VDI__FN int64_t vdi__ds_choose(const vdi_deepspike *m, const vdi_deepspike_data *data, vdi_rng *rng,
                               int64_t frames, int64_t count, int64_t *trace, int64_t *start) {
    int64_t total = 0, of_cell = 0;
    for (int64_t i = 0; i < data->traces; i++)
        total += data->length[i];
    int64_t at = (int64_t)vdi_rng_below(rng, (uint64_t)total), cell = 0;
    (void)m;
    for (int64_t i = 0; i < data->traces; i++) {
        if (at < data->length[i]) {
            cell = data->cell[i];
            break;
        }
        at -= data->length[i];
    }
    for (int64_t i = 0; i < data->traces; i++)
        if (data->cell[i] == cell) of_cell += data->length[i] - frames + 1;
    for (int64_t b = 0; b < count; b++) {
        at = (int64_t)vdi_rng_below(rng, (uint64_t)of_cell);
        for (int64_t i = 0; i < data->traces; i++) {
            const int64_t n = data->cell[i] == cell ? data->length[i] - frames + 1 : 0;
            if (at < n) {
                trace[b] = i;
                start[b] = at;
                break;
            }
            at -= n;
        }
    }
    return cell;
}

/* Snippets that the generative models of random cells draw themselves, with the trains as
 * labels. */
VDI__FN vdi_status vdi__ds_dream(vdi_deepspike *m, const vdi_deepspike_data *data, int64_t frames,
                                 vdi__ds_pass *g, uint64_t step, vdi_error *err) {
    static const char where[] = "vdi_deepspike_step";
    const vdi_deepspike_desc *d = &m->desc;
    const int64_t n = d->train.dreams;
    const int64_t R = d->upsample;
    const int64_t bins = frames * R;
    const int64_t M = d->generative.streams;
    const size_t size = vdi_dtype_size(d->dtype);
    char *x = (char *)vdi_arena_alloc(&m->arena, (size_t)(n * frames * M) * size);
    char *s = (char *)vdi_arena_alloc(&m->arena, 2 * (size_t)(bins * M) * size);
    unsigned char *label = (unsigned char *)vdi_arena_alloc(&m->arena, (size_t)(n * M * bins));
    int64_t *trace = (int64_t *)vdi_arena_alloc(&m->arena, (size_t)n * sizeof *trace);
    double theta[VDI_DEEPSPIKE_THETA];
    if (!x || !s || !label || !trace)
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for dreams");
    char *f = s + (size_t)(bins * M) * size;
    for (int64_t b = 0; b < n; b++) {
        vdi_rng rng = vdi__ds_rng(m, VDI__DS_RNG_DREAM, step, (uint64_t)b);
        trace[b] = (int64_t)vdi_rng_below(&rng, (uint64_t)data->traces);
        const int64_t cell = data->cell[trace[b]];
        memcpy(theta, data->theta + cell * data->theta_count,
               (size_t)data->theta_count * sizeof *theta);
        if (d->amplitude)
            theta[d->generative.amplitude] += d->amplitude_spread * vdi_rng_normal(&rng);
        for (int64_t j = 0; j < M; j++) {
            for (int64_t t = 0; t < bins; t++) {
                const bool spike = vdi_rng_bernoulli(&rng, d->prior_rate[j]);
                label[(b * M + j) * bins + t] = spike;
                vdi_dtype_store(d->dtype, s, j * bins + t, spike);
            }
        }
        const vdi_status status =
            d->generative.sample(theta, d->dtype, bins, s, &rng, NULL, f, d->generative.user, err);
        if (status < 0) return status;
        for (int64_t j = 0; j < M; j++) {
            for (int64_t t = 0; t < frames; t++) {
                memcpy(x + (size_t)((b * frames + t) * M + j) * size,
                       f + (size_t)(j * bins + t * R + R - 1) * size, size);
            }
        }
    }
    g->B = n;
    g->K = 1;
    g->frames = frames;
    g->x = x;
    g->trace = trace;
    g->label = label;
    g->how = VDI_DEEPSPIKE_SUPERVISED;
    vdi__ds_buffers(m, g);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_deepspike_step(vdi_deepspike *m, vdi_deepspike_data *data,
                                       vdi_deepspike_progress *p, vdi_error *err) {
    static const char where[] = "vdi_deepspike_step";
    const vdi_deepspike_desc *d = &m->desc;
    const vdi_deepspike_train *tr = &d->train;
    const int64_t P = data->theta_count, step = m->count[VDI__DS_STEP];
    if (step >= tr->steps) return VDI_END;
    vdi_status status = vdi__ds_fits(m, data, where, err);
    if (status < 0) return status;
    vdi_deepspike_batch batch = VDI__ZERO;
    batch.count = tr->batch;
    batch.frames = tr->snippet;
    for (int64_t i = 0; i < data->traces; i++)
        batch.frames = VDI__MIN(batch.frames, data->length[i]);
    vdi_arena_reset(&m->arena);
    int64_t *place = (int64_t *)vdi_arena_alloc(&m->arena, 2 * (size_t)tr->batch * sizeof *place);
    if (!place) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for a batch");
    vdi_rng rng = vdi__ds_rng(m, VDI__DS_RNG_BATCH, (uint64_t)step, 0);
    const int64_t cell =
        vdi__ds_choose(m, data, &rng, batch.frames, batch.count, place, place + tr->batch);
    batch.trace = place;
    batch.start = place + tr->batch;
    vdi__ds_pass g = VDI__ZERO, dream = VDI__ZERO;
    if (!vdi__ds_gather(m, data, &batch, &g))
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for a batch");
    g.how = tr->estimator;
    g.draw = (uint64_t)step;
    g.theta = data->theta + cell * P;
    g.baseline = data->baseline[2 * cell];
    double bound = 0, sleep = 0;
    vdi_params_zero_grad(m->params);
    status = vdi__ds_batch_run(m, &g, &bound, err);
    if (status >= 0 && tr->estimator == VDI_DEEPSPIKE_WAKE_SLEEP) {
        status = vdi__ds_dream(m, data, batch.frames, &dream, (uint64_t)step, err);
        if (status >= 0) status = vdi__ds_batch_run(m, &dream, &sleep, err);
    }
    if (status < 0) return status;
    /* theta's step is worked out before anything is changed */
    double theta[VDI_DEEPSPIKE_THETA], v[VDI_DEEPSPIKE_THETA];
    const double rate = vdi_optim_rate(m->optim);
    for (int64_t i = 0; i < P && tr->estimator != VDI_DEEPSPIKE_SUPERVISED; i++) {
        double grad = 0;
        for (int64_t b = 0; b < g.B; b++)
            grad += g.d_theta[b * P + i] / (double)g.B;
        v[i] = 0.9 * data->theta_v[cell * P + i] + 0.1 * grad * grad;
        theta[i] = g.theta[i] + (d->generative.theta_frozen[i]
                                     ? 0
                                     : tr->theta_factor * rate * grad / sqrt(v[i] + 1e-6));
        if (!(theta[i] - theta[i] == 0) || !(v[i] - v[i] == 0)) {
            return vdi_error_set(
                err, VDI_ERR_NUMERIC, where, "step %lld: the gradient of %s is %g", (long long)step,
                d->generative.theta_name[i] ? d->generative.theta_name[i] : "theta", grad);
        }
    }
    status = vdi_optim_step(m->optim, err);
    if (status < 0) return status;
    if (tr->estimator != VDI_DEEPSPIKE_SUPERVISED && P > 0) {
        memcpy(data->theta + cell * P, theta, (size_t)P * sizeof *theta);
        memcpy(data->theta_v + cell * P, v, (size_t)P * sizeof *v);
    }
    if (tr->estimator == VDI_DEEPSPIKE_REINFORCE) {
        double *mean = data->baseline + 2 * cell;
        mean[0] =
            mean[1] > 0 ? tr->baseline_memory * mean[0] + (1 - tr->baseline_memory) * bound : bound;
        mean[1]++;
    }
    m->count[VDI__DS_STEP]++;
    if (p) {
        p->step = m->count[VDI__DS_STEP];
        p->steps = tr->steps;
        p->bound = bound / (double)(g.hi - g.lo);
        p->sleep = tr->estimator == VDI_DEEPSPIKE_WAKE_SLEEP ? sleep / (double)(dream.hi - dream.lo)
                                                             : (double)NAN;
        p->rate = rate;
        p->norm = vdi_optim_grad_norm(m->optim);
        p->cell = cell;
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_deepspike_fit(vdi_deepspike *m, vdi_deepspike_data *data,
                                      vdi_deepspike_progress_fn fn, void *user, vdi_error *err) {
    for (;;) {
        vdi_deepspike_progress p;
        const vdi_status status = vdi_deepspike_step(m, data, &p, err);
        if (status == VDI_END) return VDI_OK;
        if (status < 0) return status;
        if (fn && !fn(&p, user)) return VDI_STOPPED;
    }
}
#endif
