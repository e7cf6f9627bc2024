/* model/deepspike/snippet.h - one snippet of a step: its trains, their weights, and the gradients
 *
 * One job computes one snippet; jobs share a forward pass, and each uses the memory of its worker.
 * Declares nothing.
 */
#ifndef VDI_MODEL_DEEPSPIKE_SNIPPET_H
#define VDI_MODEL_DEEPSPIKE_SNIPPET_H
#include "deepspike.h"

#endif

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_SNIPPET_C)
#define VDI_MODEL_DEEPSPIKE_SNIPPET_C

/* rows of a supervised batch that run through the forward unit together */
#define VDI__DS_ROWS 32

/* What the jobs of a step share. Gradients come out as those of the bound. */
typedef struct vdi__ds_pass {
    vdi_deepspike *m;
    vdi_deepspike_estimator estimator;
    const vdi__ds_estimator *how;       /* its row */
    int64_t B, K, frames, bins, lo, hi; /* lo..hi: the bins that count */
    int64_t first, total;               /* B of `total` from there on; the others are another
                                           process's */
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

/* log(n choose k) */
VDI__FN double vdi__ds_log_binomial(double n, double k) {
    double x[3];
    x[0] = n + 1;
    x[1] = k + 1;
    x[2] = n - k + 1;
    vdi_lgamma(VDI_F64, 3, x, x);
    return x[0] - x[1] - x[2];
}

/* Is p away from the limits between which it is held? */
VDI__INLINE bool vdi__ds_free(const vdi_deepspike_desc *d, double p) {
    const double limit = d->floor * (1 + 1e-6);
    return p > limit && p < 1 - limit;
}

/* The gradient v of log odds whose probability is p: at a limit only what leads away from it.
 * Without that a limit would be absorbing: early in training, while theta is still wrong, spikes
 * explain nothing, all probabilities fall to the floor, and none would ever come back. */
VDI__INLINE double vdi__ds_inward(const vdi_deepspike_desc *d, double p, double v) {
    return vdi__ds_free(d, p) || (p < 0.5) == (v > 0) ? v : 0;
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

/* What is kept of the trains of a snippet. */
typedef struct vdi__ds_trains {
    int64_t K;
    char *train;           /* (streams,bins,K) */
    char *probability;     /* factorised: (streams,bins), held; correlated: (bins,K) */
    char *odds;            /* concrete: the relaxed log odds (streams,bins,K) / temperature */
    double *log_q, *prior; /* (K) */
    double kl;             /* concrete: KL(q | prior) */
} vdi__ds_trains;

/* ======== trains of independent bins ========================================================== */

/* Bin t of a stream: K trains below the probability q (whose log odds are `odds`), relaxed if the
 * estimator asks for it. */
VDI__FN void vdi__ds_draw_bin(const vdi__ds_pass *g, double q, double odds, const char *uniform,
                              int64_t K, char *train) {
    const vdi_dtype dtype = g->m->desc.dtype;
    if (g->how->relaxed) {
        for (int64_t k = 0; k < K; k++) {
            const double v = vdi_dtype_load(dtype, uniform, k);
            const double w = VDI__MIN(VDI__MAX(v, 1e-7), 1 - 1e-7);
            vdi_dtype_store(dtype, train, k,
                            (odds + log(w / (1 - w))) / g->m->desc.train.temperature);
        }
        vdi_sigmoid(dtype, (size_t)K, train, train);
        return;
    }
    VDI__BOTH(dtype, {
        const real *from = (const real *)(const void *)uniform;
        const real limit = (real)q;
        real *to = (real *)(void *)train;
        for (int64_t k = 0; k < K; k++) {
            to[k] = from[k] < limit ? 1 : 0;
        }
    });
}

/* Draw (or read, where `uniform` is NULL) the trains of stream j, and add their scores. score, one
 * (bins), sum (2,K): scratch. */
VDI__FN void vdi__ds_stream_trains(const vdi__ds_pass *g, int64_t b, int j, const char *uniform,
                                   vdi__ds_trains *s, char *score, const char *one, char *sum) {
    const vdi_deepspike_desc *d = &g->m->desc;
    const vdi_dtype dtype = d->dtype;
    const size_t size = vdi_dtype_size(dtype), K = (size_t)s->K, n = (size_t)(g->hi - g->lo);
    const size_t bins = (size_t)g->bins;
    const int M = d->generative.streams;
    const double rate = d->prior_rate[j], prior_odds = log(rate / (1 - rate));
    char *train = s->train + (size_t)j * bins * K * size;
    char *p = s->probability + (size_t)j * bins * size;
    const char *u = uniform ? uniform + (size_t)j * bins * K * size : NULL;
    double rest = 0;
    for (int64_t t = 0; t < g->bins; t++) {
        vdi_dtype_store(dtype, p, t, vdi_dtype_load(dtype, g->odds, (b * g->bins + t) * M + j));
    }
    vdi__ds_probability(dtype, d->floor, g->bins, p, p);
    for (int64_t t = 0; t < g->bins; t++) {
        const double q = vdi_dtype_load(dtype, p, t), odds = log(q / (1 - q));
        const size_t at = (size_t)t * K * size;
        vdi_dtype_store(dtype, score, t, odds);
        if (t >= g->lo && t < g->hi) {
            rest += log1p(-q);
            s->kl += q * (odds - prior_odds) + log1p(-q) - log1p(-rate);
        }
        if (u) vdi__ds_draw_bin(g, q, odds, u + at, s->K, train + at);
    }
    const char *from = train + (size_t)g->lo * K * size;
    vdi_gemv(dtype, VDI_GEMM_TA, n, K, from, K, score + (size_t)g->lo * size, sum);
    vdi_gemv(dtype, VDI_GEMM_TA, n, K, from, K, one, sum + K * size);
    for (size_t k = 0; k < K; k++) {
        const double count = vdi_dtype_load(dtype, sum, (int64_t)(K + k));
        s->log_q[k] += rest + vdi_dtype_load(dtype, sum, (int64_t)k);
        s->prior[k] += count * prior_odds + (double)n * log1p(-rate);
        if (d->prior == VDI_DEEPSPIKE_COUNT) {
            s->prior[k] += vdi__ds_log_binomial((double)n, count);
        }
    }
}

/* Draw (or read) the trains of an independent-bins posterior, and score them. */
VDI__FN vdi_status vdi__ds_factorised(const vdi__ds_pass *g, int64_t b, const char *uniform,
                                      vdi__ds_trains *s, vdi_arena *a) {
    const vdi_dtype dtype = g->m->desc.dtype;
    const size_t size = vdi_dtype_size(dtype), K = (size_t)s->K, n = (size_t)(g->hi - g->lo);
    char *score = (char *)vdi_arena_alloc(a, (size_t)g->bins * size);
    char *sum = (char *)vdi_arena_alloc(a, 2 * K * size);
    char *one = (char *)vdi_arena_alloc(a, n * size);
    if (!score || !sum || !one) return VDI_ERR_MEMORY;
    vdi_fill(dtype, n, 1, one);
    for (size_t k = 0; k < K; k++) {
        s->log_q[k] = s->prior[k] = 0;
    }
    s->kl = 0;
    for (int j = 0; j < g->m->desc.generative.streams; j++) {
        vdi__ds_stream_trains(g, b, j, uniform, s, score, one, sum);
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

/* ======== labels ============================================================================== */

/* One snippet of independent bins: mean log q of its labels, and the gradient of its log odds. */
VDI__FN void vdi__ds_label_bins(vdi__ds_pass *g, int64_t b, char *p) {
    const vdi_deepspike_desc *d = &g->m->desc;
    const int64_t bins = g->bins;
    const int M = d->generative.streams;
    const int64_t row = bins * M * (int64_t)vdi_dtype_size(d->dtype);
    double sum = 0;
    vdi__ds_probability(d->dtype, d->floor, bins * M, g->odds + b * row, p);
    for (int64_t t = 0; t < bins; t++) {
        for (int j = 0; j < M; j++) {
            const double q = vdi_dtype_load(d->dtype, p, t * M + j);
            const bool spike = g->label[(b * M + j) * bins + t] != 0;
            const bool counts = t >= g->lo && t < g->hi;
            if (counts) sum += spike ? log(q) : log1p(-q);
            vdi_dtype_store(d->dtype, g->d_odds, (b * bins + t) * M + j,
                            counts ? vdi__ds_inward(d, q, (double)spike - q) : 0);
        }
    }
    g->bound[b] = sum;
}

/* A supervised group of snippets: its labels are the trains. */
VDI__FN vdi_status vdi__ds_job_labels(vdi__ds_pass *g, int64_t job, vdi__ds_worker *w) {
    const vdi_deepspike_desc *d = &g->m->desc;
    const vdi_dtype dtype = d->dtype;
    const int64_t size = (int64_t)vdi_dtype_size(dtype), bins = g->bins, H = d->hidden;
    const int64_t from = job * VDI__DS_ROWS, rows = VDI__MIN(g->B - from, VDI__DS_ROWS);
    if (d->posterior == VDI_DEEPSPIKE_FACTORISED) {
        char *p = (char *)vdi_arena_alloc(&w->arena, (size_t)(bins * d->generative.streams * size));
        if (!p) return VDI_ERR_MEMORY;
        for (int64_t b = from; b < from + rows; b++) {
            vdi__ds_label_bins(g, b, p);
        }
        return VDI_OK;
    }
    vdi__ds_rnn r = vdi__ds_rnn_of(g->m, rows, bins);
    void *dz = vdi_arena_alloc(&w->arena, (size_t)(bins * rows * size));
    if (!dz || !vdi__ds_rnn_reserve(&r, &w->arena, true)) return VDI_ERR_MEMORY;
    r.input = g->input + from * bins * 3 * H * size;
    r.odds = g->odds + from * bins * size;
    r.input_step = bins * 3 * H;
    r.odds_step = bins;
    for (int64_t t = 0; t < bins; t++) {
        for (int64_t k = 0; k < rows; k++) {
            vdi_dtype_store(dtype, r.train, t * rows + k, g->label[(from + k) * bins + t] ? 1 : 0);
        }
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

/* ======== one snippet with its K trains ======================================================= */

/* What the parts of a job share. */
typedef struct vdi__ds_snippet {
    vdi__ds_pass *g;
    int64_t b;
    vdi_arena *a;
    vdi_rng rng;
    char *uniform; /* (streams,bins,K); NULL with forced trains */
    char *f, *mask, *theta;
    double *log_w, *to_q, *to_p, *log_p; /* (K) */
    double *amplitude, *eps;             /* (K): of each train, where it is inferred */
    double sd, slope;                    /* of the amplitude, and its derivative by the raw one */
    vdi__ds_trains trains;
    vdi__ds_rnn rnn;
    vdi_var spikes, theta_v, log_likelihood;
} vdi__ds_snippet;

VDI__FN vdi_status vdi__ds_no_memory(vdi_error *err) {
    return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_step", "no memory for the samples");
}

VDI__FN vdi_status vdi__ds_snippet_reserve(vdi__ds_snippet *u, vdi_error *err) {
    const vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const int64_t K = g->K, bins = g->bins, M = d->generative.streams;
    const int64_t P = d->generative.theta_count;
    const size_t size = vdi_dtype_size(d->dtype), trains = (size_t)(M * bins * K);
    const bool correlated = d->posterior == VDI_DEEPSPIKE_CORRELATED;
    double *number = (double *)vdi_arena_alloc(u->a, (size_t)(8 * K) * sizeof *number);
    u->uniform = g->forced ? NULL : (char *)vdi_arena_alloc(u->a, trains * size);
    u->f = (char *)vdi_arena_calloc(u->a, (size_t)(2 * M * bins) * size);
    u->theta = (char *)vdi_arena_calloc(u->a, 2 * (size_t)(P * (d->amplitude ? K : 1)) * size);
    if (!number || (!u->uniform && !g->forced) || !u->f || !u->theta) return vdi__ds_no_memory(err);
    u->mask = u->f + (size_t)(M * bins) * size;
    u->log_w = number;
    u->to_q = number + K;
    u->to_p = number + 2 * K;
    u->log_p = number + 3 * K;
    u->amplitude = number + 4 * K;
    u->eps = number + 5 * K;
    u->trains.K = K;
    u->trains.log_q = number + 6 * K;
    u->trains.prior = number + 7 * K;
    u->rnn = vdi__ds_rnn_of(g->m, K, bins);
    if (correlated) {
        if (!vdi__ds_rnn_reserve(&u->rnn, u->a, !g->how->dreams)) return vdi__ds_no_memory(err);
        u->trains.train = (char *)u->rnn.train;
        u->trains.probability = (char *)u->rnn.probability;
        return VDI_OK;
    }
    u->trains.train = (char *)vdi_arena_alloc(u->a, trains * size);
    u->trains.probability = (char *)vdi_arena_alloc(u->a, (size_t)(M * bins) * size);
    return u->trains.train && u->trains.probability ? VDI_OK : vdi__ds_no_memory(err);
}

/* Trains with their log q and prior. */
VDI__FN vdi_status vdi__ds_draw_trains(vdi__ds_snippet *u, vdi_error *err) {
    const vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const size_t size = vdi_dtype_size(d->dtype);
    const size_t trains = (size_t)(d->generative.streams * g->bins * g->K);
    if (u->uniform) vdi_rng_fill_uniform(&u->rng, d->dtype, (int64_t)trains, u->uniform);
    for (size_t i = 0; g->forced && i < trains; i++) {
        vdi_dtype_store(d->dtype, u->trains.train, (int64_t)i,
                        g->forced[(size_t)u->b * trains + i]);
    }
    if (d->posterior == VDI_DEEPSPIKE_FACTORISED) {
        return vdi__ds_factorised(g, u->b, u->uniform, &u->trains, u->a) < 0
                   ? vdi__ds_no_memory(err)
                   : VDI_OK;
    }
    u->rnn.input = g->input + (size_t)(u->b * g->bins * 3 * d->hidden) * size;
    u->rnn.odds = g->odds + (size_t)(u->b * g->bins) * size;
    u->rnn.uniform = u->uniform;
    vdi__ds_rnn_run(&u->rnn);
    vdi__ds_score_rnn(g, g->K, u->rnn.train, u->rnn.probability, u->trains.log_q, u->trains.prior);
    return VDI_OK;
}

/* f and mask (streams,bins): a frame is what has come together at the end of its last bin. */
VDI__FN void vdi__ds_observe(const vdi__ds_snippet *u) {
    const vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const int64_t M = d->generative.streams, R = d->upsample, bins = g->bins;
    for (int64_t j = 0; j < M; j++) {
        for (int64_t t = 0; t < bins; t++) {
            const int64_t frame = t / R;
            const bool counts = t % R == R - 1 && t >= g->lo && t < g->hi && g->seen[u->b][frame];
            const int64_t at = (u->b * g->frames + frame) * M + j;
            vdi_dtype_store(d->dtype, u->f, j * bins + t,
                            counts ? vdi_dtype_load(d->dtype, g->x, at) : 0);
            vdi_dtype_store(d->dtype, u->mask, j * bins + t, counts ? 1 : 0);
        }
    }
}

/* theta (P) on the tape, or (K,1,P) with an amplitude of its own for each train. */
VDI__FN vdi_var vdi__ds_theta_var(vdi__ds_snippet *u, vdi_tape *t) {
    const vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const int64_t K = g->K, P = d->generative.theta_count;
    if (d->amplitude) {
        const double mean = vdi_dtype_load(d->dtype, g->amplitude, 2 * u->b);
        const double raw = vdi_dtype_load(d->dtype, g->amplitude, 2 * u->b + 1) - 2;
        u->sd = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw);
        u->slope = vdi_calcium_natural(VDI_CALCIUM_SIGMOID, raw);
        for (int64_t k = 0; k < K; k++) {
            u->eps[k] = vdi_rng_normal(&u->rng);
            u->amplitude[k] = mean + u->sd * u->eps[k];
            for (int64_t i = 0; i < P; i++) {
                const double own = i == d->generative.amplitude ? u->amplitude[k] : 0;
                vdi_dtype_store(d->dtype, u->theta, k * P + i, g->theta[i] + own);
            }
        }
        return vdi_tape_variable(t, vdi_tensor_3d(u->theta, d->dtype, K, 1, P));
    }
    for (int64_t i = 0; i < P; i++) {
        vdi_dtype_store(d->dtype, u->theta, i, g->theta[i]);
    }
    return P > 0 ? vdi_tape_variable(t, vdi_tensor_1d(u->theta, d->dtype, P)) : vdi_var_none();
}

/* log p(f | trains, theta) on this worker's tape. */
VDI__FN vdi_status vdi__ds_likelihood(vdi__ds_snippet *u, vdi_tape *t, vdi_error *err) {
    const vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const vdi_deepspike_generative *gen = &d->generative;
    const int skip = gen->streams > 1 ? 0 : 1;
    vdi_calcium_info info = VDI__ZERO;
    int64_t shape[4];
    vdi__ds_observe(u);
    vdi_tape_reset(t);
    info.samples = g->K;
    info.batch = 1;
    info.T = g->bins;
    info.streams = gen->streams;
    info.time_major = true;
    info.bin = gen->calcium.bin > 0 ? gen->calcium.bin : vdi_calcium_desc_defaults().bin;
    shape[0] = gen->streams;
    shape[1] = g->bins;
    shape[2] = g->K;
    shape[3] = 1;
    const vdi_tensor trains = vdi_tensor_view(u->trains.train, d->dtype, 4 - skip, shape + skip);
    u->spikes = g->how->relaxed ? vdi_tape_variable(t, trains) : vdi_tape_constant(t, trains);
    shape[2] = 1;
    const vdi_var f = vdi_tape_constant(t, vdi_tensor_view(u->f, d->dtype, 3 - skip, shape + skip));
    const vdi_var mask =
        vdi_tape_constant(t, vdi_tensor_view(u->mask, d->dtype, 3 - skip, shape + skip));
    u->theta_v = vdi__ds_theta_var(u, t);
    u->log_likelihood = gen->log_likelihood(t, u->spikes, f, mask, u->theta_v, &info, gen->user);
    const vdi_status status = vdi_tape_status(t, err);
    if (status < 0) return status;
    const vdi_tensor value = vdi_tape_value(t, u->log_likelihood);
    if (vdi_tensor_count(value) == g->K) return VDI_OK;
    char text[VDI_SHAPE_TEXT];
    return vdi_error_set(err, VDI_ERR_SHAPE, "vdi_deepspike_step",
                         "the log likelihood is %s, expected (%lld,1)",
                         vdi_tensor_shape_text(value, text), (long long)g->K);
}

/* log weights, the bound, and with what each train enters the gradients. */
VDI__FN vdi_status vdi__ds_weigh(vdi__ds_snippet *u, vdi_tape *t, vdi_error *err) {
    vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const vdi_tensor value = vdi_tape_value(t, u->log_likelihood);
    const double spread = d->amplitude_spread;
    for (int64_t k = 0; k < g->K; k++) {
        const double amp = u->amplitude[k], eps = u->eps[k];
        u->log_p[k] = vdi_dtype_load(value.dtype, value.data, k);
        u->log_w[k] = g->how->relaxed ? u->log_p[k] - u->trains.kl
                                      : u->log_p[k] + u->trains.prior[k] - u->trains.log_q[k];
        if (d->amplitude) {
            u->log_w[k] +=
                0.5 * eps * eps + log(u->sd) - 0.5 * amp * amp / (spread * spread) - log(spread);
        }
    }
    double *bound = &g->bound[u->b];
    vdi_deepspike_weights(g->estimator, g->K, u->log_w, g->baseline, bound, u->to_q, u->to_p);
    if (*bound - *bound == 0) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_deepspike_step",
                         "the bound of snippet %lld is not finite", (long long)u->b);
}

/* What the inferred amplitude gets: through the likelihood (d_mean, d_sd) and from its prior. */
VDI__FN void vdi__ds_amplitude_grad(const vdi__ds_snippet *u, double d_mean, double d_sd) {
    const vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const double variance = d->amplitude_spread * d->amplitude_spread;
    for (int64_t k = 0; k < g->K; k++) {
        const double pull = -u->to_p[k] * u->amplitude[k] / variance;
        d_mean += pull;
        d_sd += pull * u->eps[k] + u->to_p[k] / u->sd;
    }
    vdi_dtype_store(d->dtype, g->d_amplitude, 2 * u->b, d_mean);
    vdi_dtype_store(d->dtype, g->d_amplitude, 2 * u->b + 1, d_sd * u->slope);
}

/* theta, amplitude and relaxed spikes through the tape. */
VDI__FN vdi_status vdi__ds_theta_grad(vdi__ds_snippet *u, vdi_tape *t, vdi_error *err) {
    vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const int64_t P = d->generative.theta_count, rows = d->amplitude ? g->K : 1;
    if (vdi_var_needs_grad(t, u->log_likelihood)) {
        vdi_tensor cotangent = vdi_tape_value(t, u->log_likelihood);
        memcpy(u->log_p, u->to_p, (size_t)g->K * sizeof *u->log_p);
        cotangent.data = u->log_p;
        cotangent.dtype = VDI_F64;
        (void)vdi_tape_backward_from(t, u->log_likelihood, cotangent);
        const vdi_status status = vdi_tape_status(t, err);
        if (status < 0) return status;
    }
    const vdi_tensor dtheta =
        vdi_tape_grad(t, vdi_var_ok(u->theta_v) ? u->theta_v : vdi_var_none());
    double d_mean = 0, d_sd = 0;
    for (int64_t i = 0; i < P; i++) {
        g->d_theta[u->b * P + i] = 0;
    }
    for (int64_t k = 0; vdi_tensor_ok(dtheta) && k < rows; k++) {
        for (int64_t i = 0; i < P; i++) {
            const double v = vdi_dtype_load(dtheta.dtype, dtheta.data, k * P + i);
            g->d_theta[u->b * P + i] += v;
            if (d->amplitude && i == d->generative.amplitude) {
                d_mean += v;
                d_sd += v * u->eps[k];
            }
        }
    }
    if (d->amplitude) vdi__ds_amplitude_grad(u, d_mean, d_sd);
    return VDI_OK;
}

/* The log odds of a correlated posterior, through the forward unit. */
VDI__FN vdi_status vdi__ds_odds_correlated(vdi__ds_snippet *u, vdi_error *err) {
    vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const int64_t bins = g->bins, H = d->hidden;
    const size_t size = vdi_dtype_size(d->dtype);
    /* the uniform numbers are used up; forced trains had none */
    void *dz =
        u->uniform ? (void *)u->uniform : vdi_arena_alloc(u->a, (size_t)(bins * g->K) * size);
    if (!dz) return vdi__ds_no_memory(err);
    vdi__ds_odds_grad(g, g->K, u->rnn.train, u->rnn.probability, u->to_q, dz);
    return vdi__ds_rnn_back(&u->rnn, dz, g->d_input + (size_t)(u->b * bins * 3 * H) * size,
                            g->d_odds + (size_t)(u->b * bins) * size,
                            g->d_rnn + (size_t)(u->b * vdi__ds_rnn_size(H)) * size, u->a)
               ? VDI_OK
               : vdi__ds_no_memory(err);
}

/* The log odds of independent relaxed bins: through the relaxation and the KL divergence. */
VDI__FN void vdi__ds_odds_relaxed(vdi__ds_snippet *u, vdi_tape *t, int64_t j) {
    vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const int64_t K = g->K, bins = g->bins, M = d->generative.streams;
    const vdi_tensor relaxed = vdi_tape_grad(t, u->spikes);
    const double prior_odds = log(d->prior_rate[j] / (1 - d->prior_rate[j]));
    for (int64_t i = 0; i < bins; i++) {
        const double p = vdi_dtype_load(d->dtype, u->trains.probability, j * bins + i);
        const bool counts = i >= g->lo && i < g->hi;
        double v = counts ? -p * (1 - p) * (log(p / (1 - p)) - prior_odds) : 0;
        for (int64_t k = 0; vdi_tensor_ok(relaxed) && k < K; k++) {
            const int64_t at = (j * bins + i) * K + k;
            const double y = vdi_dtype_load(d->dtype, u->trains.train, at);
            v += vdi_dtype_load(d->dtype, relaxed.data, at) * y * (1 - y) / d->train.temperature;
        }
        vdi_dtype_store(d->dtype, g->d_odds, (u->b * bins + i) * M + j, vdi__ds_inward(d, p, v));
    }
}

/* The log odds of independent bins: sum_k to_q (s_k - p). */
VDI__FN vdi_status vdi__ds_odds_factorised(vdi__ds_snippet *u, vdi_tape *t, vdi_error *err) {
    vdi__ds_pass *g = u->g;
    const vdi_deepspike_desc *d = &g->m->desc;
    const vdi_dtype dtype = d->dtype;
    const int64_t K = g->K, bins = g->bins, M = d->generative.streams;
    const size_t size = vdi_dtype_size(dtype);
    char *c = (char *)vdi_arena_alloc(u->a, (size_t)K * size);
    char *along = (char *)vdi_arena_alloc(u->a, (size_t)bins * size);
    if (!c || !along) return vdi__ds_no_memory(err);
    double all = 0;
    for (int64_t k = 0; k < K; k++) {
        vdi_dtype_store(dtype, c, k, u->to_q[k]);
        all += vdi_dtype_load(dtype, c, k);
    }
    for (int64_t j = 0; j < M; j++) {
        if (g->how->relaxed) {
            vdi__ds_odds_relaxed(u, t, j);
            continue;
        }
        vdi_gemv(dtype, 0, (size_t)bins, (size_t)K, u->trains.train + (size_t)(j * bins * K) * size,
                 (size_t)K, c, along);
        for (int64_t i = 0; i < bins; i++) {
            const double p = vdi_dtype_load(dtype, u->trains.probability, j * bins + i);
            const bool counts = i >= g->lo && i < g->hi;
            const double v = counts ? vdi_dtype_load(dtype, along, i) - all * p : 0;
            vdi_dtype_store(dtype, g->d_odds, (u->b * bins + i) * M + j, vdi__ds_inward(d, p, v));
        }
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__ds_job_samples(vdi__ds_pass *g, int64_t b, vdi__ds_worker *w,
                                       vdi_error *err) {
    vdi__ds_snippet u = VDI__ZERO;
    u.g = g;
    u.b = b;
    u.a = &w->arena;
    u.rng = vdi__ds_rng(g->m, VDI__DS_RNG_TRAIN, g->draw, (uint64_t)(g->first + b));
    vdi_status status = vdi__ds_snippet_reserve(&u, err);
    if (status >= 0) status = vdi__ds_draw_trains(&u, err);
    if (status >= 0) status = vdi__ds_likelihood(&u, w->tape, err);
    if (status >= 0) status = vdi__ds_weigh(&u, w->tape, err);
    if (status >= 0) status = vdi__ds_theta_grad(&u, w->tape, err);
    if (status < 0 || g->how->dreams) return status;
    return g->m->desc.posterior == VDI_DEEPSPIKE_CORRELATED
               ? vdi__ds_odds_correlated(&u, err)
               : vdi__ds_odds_factorised(&u, w->tape, err);
}

VDI__FN void vdi__ds_job(int64_t index, int worker, void *user) {
    vdi__ds_pass *g = (vdi__ds_pass *)user;
    vdi__ds_worker *w = &g->m->worker[worker];
    vdi_error *err = &g->error[index];
    vdi_arena_reset(&w->arena);
    err->status = VDI_OK;
    const vdi_status status =
        g->how->labels ? vdi__ds_job_labels(g, index, w) : vdi__ds_job_samples(g, index, w, err);
    if (status < 0 && err->status >= 0) {
        (void)vdi_error_set(err, status, "vdi_deepspike_step", "no memory for a group of snippets");
    }
}
#endif
