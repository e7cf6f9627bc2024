/* model/deepspike/infer.h - inference with a trained DeepSpike: probabilities, expected spikes,
 * sampled trains
 *
 * Do this:
 *     vdi_deepspike_query q = VDI__ZERO;
 *     q.samples = 20;
 *     vdi_deepspike_result out = VDI__ZERO;
 *     out.expected = spikes;   (N,T), spikes a frame
 *     out.sample = trains;     (20,N,bins), 0 and 1
 *     if (vdi_deepspike_infer(net, data, &q, &out, &err) < 0) puts(err.message);
 *
 * Frame by frame, while an experiment runs: stream.h.
 */
#ifndef VDI_MODEL_DEEPSPIKE_INFER_H
#define VDI_MODEL_DEEPSPIKE_INFER_H
#include "stream.h"
#include "train.h"

/** How vdi_deepspike_infer runs. Zero is the default. */
typedef struct vdi_deepspike_query {
    int64_t
        samples;   /**< trains drawn of each trace: S of `sample`, and what a correlated posterior's
                        marginals are the mean of; default 5 */
    uint64_t seed; /**< of them */
} vdi_deepspike_query;
/** Where vdi_deepspike_infer writes; NULL members are not computed. N traces, T frames, bins = T
 * upsample. All zero beyond a trace's length. */
typedef struct vdi_deepspike_result {
    double *probability;   /**< (N,streams,bins) of a spike in each bin */
    double *expected;      /**< (N,streams,T) spikes in each frame */
    double *deviation;     /**< (N,streams,T) standard deviation of that number under q */
    double *denoised;      /**< (N,streams,T): the cell's generative model of the probabilities, in
                                the trace's own units */
    unsigned char *sample; /**< (S,N,streams,bins) */
} vdi_deepspike_result;
/** The posterior of each trace. Traces are split over desc.pool. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_infer(vdi_deepspike *m, vdi_deepspike_data *data,
                                                     const vdi_deepspike_query *q,
                                                     const vdi_deepspike_result *out,
                                                     vdi_error *err);

#endif /* VDI_MODEL_DEEPSPIKE_INFER_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_INFER_C)
#define VDI_MODEL_DEEPSPIKE_INFER_C

/* frames that go through the layers together: their windows stay in the second-level cache */
#define VDI__DS_BLOCK 512

typedef struct vdi__ds_query {
    vdi_deepspike *m;
    vdi_deepspike_data *data;
    int64_t samples;
    uint64_t seed;
    const vdi_deepspike_result *out;
    vdi_error *error; /* (traces) */
} vdi__ds_query;

/* The last convolution of a whole trace: y (frames, cout). */
VDI__FN bool vdi__ds_convolve(const vdi_deepspike *m, const char *x, int64_t frames, char *y,
                              vdi_arena *a) {
    void *memory = vdi_arena_alloc(a, vdi_deepspike_stream_memsize(m, VDI__DS_BLOCK));
    if (!memory) return false;
    vdi_deepspike_stream *s = vdi__ds_stream_make(m, VDI__DS_BLOCK, 0, 1, memory);
    const size_t size = vdi_dtype_size(s->dtype);
    const size_t in = (size_t)s->streams * size;
    const size_t out = (size_t)m->head.channels[1] * size;
    for (int64_t t = 0; t < frames; t += VDI__DS_BLOCK) {
        const int64_t n = VDI__MIN(frames - t, VDI__DS_BLOCK);
        memcpy(vdi__ds_append(s, &s->layer[0], n), x + (size_t)t * in, (size_t)n * in);
        s->layer[0].have += n;
        y += (size_t)vdi__ds_advance(s, false, y) * out;
    }
    (void)vdi__ds_advance(s, true, y);
    return true;
}

/* traces that go through the recurrent units side by side: their weights are then read once for
 * all */
#define VDI__DS_ABREAST 4

/* What `count` traces of one length tell the forward unit about each bin: u (bins,count,F+C),
   features and the trace itself, and b (bins,count,H), the states of the backward unit. */
typedef struct vdi__ds_known {
    size_t count, bins, block, H, first; /* block: bins whose products stay in the second-level
                                            cache; first: F + C */
    char *u, *b;
    char *product, *odds; /* of a block: (block,count,3H), (block,count) */
} vdi__ds_known;

VDI__FN bool vdi__ds_look_back(const vdi_deepspike *m, vdi__ds_known *k, const char *const *x,
                               int64_t frames, vdi_arena *a) {
    const vdi_dtype dtype = m->desc.dtype;
    const size_t size = vdi_dtype_size(dtype);
    const size_t R = (size_t)m->desc.upsample;
    const size_t F = (size_t)m->desc.features;
    const size_t C = (size_t)m->desc.generative.streams;
    const size_t n = k->count;
    const vdi_param *rnn = m->params->item + m->rnn + VDI__DS_BACK;
    k->bins = (size_t)frames * R;
    k->block = VDI__DS_BLOCK / n;
    k->H = (size_t)m->desc.hidden;
    k->first = F + C;
    char *y = (char *)vdi_arena_alloc(a, k->bins * F * size);
    char *work = (char *)vdi_arena_alloc(a, n * 3 * k->H * size);
    k->u = (char *)vdi_arena_alloc(a, k->bins * n * k->first * size);
    k->b = (char *)vdi_arena_alloc(a, k->bins * n * k->H * size);
    k->product = (char *)vdi_arena_alloc(a, k->block * n * 3 * k->H * size);
    k->odds = (char *)vdi_arena_alloc(a, k->block * n * size);
    if (!y || !work || !k->u || !k->b || !k->product || !k->odds) return false;
    for (size_t i = 0; i < n; i++) {
        if (!vdi__ds_convolve(m, x[i], frames, y, a)) return false;
        for (size_t t = 0; t < k->bins; t++) {
            char *to = k->u + (t * n + i) * k->first * size;
            memcpy(to, y + t * F * size, F * size);
            memcpy(to + F * size, x[i] + t / R * C * size, C * size);
        }
    }
    for (size_t end = k->bins, T; end > 0; end -= T) {
        T = VDI__MIN(end, k->block);
        const size_t t = end - T;
        vdi_affine(dtype, T * n, 3 * k->H, k->first, k->u + t * n * k->first * size, k->first,
                   rnn[0].value.data, 3 * k->H, rnn[1].value.data, VDI_ACT_NONE, 0, k->product,
                   3 * k->H);
        vdi_gru_forward(dtype, T, n, k->H, true, k->product, rnn[2].value.data, rnn[3].value.data,
                        end < k->bins ? k->b + end * n * k->H * size : NULL, work,
                        k->b + t * n * k->H * size, NULL);
    }
    return true;
}

/* Input products and log odds of the forward unit, for T bins from t on. The second product goes on
 * where the first ended. */
VDI__FN void vdi__ds_look_up(const vdi_deepspike *m, const vdi__ds_known *k, size_t t, size_t T) {
    const vdi_dtype dtype = m->desc.dtype;
    const size_t size = vdi_dtype_size(dtype), rows = T * k->count, H3 = 3 * k->H;
    const vdi_param *rnn = m->params->item + m->rnn;
    const char *u = k->u + t * k->count * k->first * size, *b = k->b + t * k->count * k->H * size;
    const char *w = (const char *)rnn[VDI__DS_FORWARD].value.data;
    const char *v = (const char *)rnn[VDI__DS_OUT].value.data;
    vdi_affine(dtype, rows, H3, k->first, u, k->first, w, H3, rnn[VDI__DS_FORWARD + 1].value.data,
               VDI_ACT_NONE, 0, k->product, H3);
    vdi_gemm(dtype, VDI_GEMM_ACC, rows, H3, k->H, b, k->H, w + k->first * H3 * size, H3, k->product,
             H3);
    vdi_affine(dtype, rows, 1, k->first, u, k->first, v, 1, rnn[VDI__DS_OUT_BIAS].value.data,
               VDI_ACT_NONE, 0, k->odds, 1);
    vdi_gemm(dtype, VDI_GEMM_ACC, rows, 1, k->H, b, k->H, v + k->first * size, 1, k->odds, 1);
}

VDI__FN vdi_rng vdi__ds_infer_rng(const vdi__ds_query *q, int64_t i) {
    return vdi__ds_rng(q->m, VDI__DS_RNG_INFER, (q->seed << 20) ^ (uint64_t)i, (uint64_t)i);
}

/* From the chances p (streams,bins) and the variance of counts (streams,frames) of trace i to what
 * was asked for. */
VDI__FN vdi_status vdi__ds_tell(const vdi__ds_query *q, int64_t i, const double *p,
                                const double *variance, vdi_arena *a, vdi_error *err) {
    const vdi_deepspike_desc *d = &q->m->desc;
    vdi_deepspike_data *data = q->data;
    const vdi_deepspike_result *out = q->out;
    const int64_t M = data->streams;
    const int64_t R = d->upsample;
    const int64_t frames = data->length[i];
    const int64_t bins = frames * R;
    const int64_t cell = data->cell[i];
    for (int64_t j = 0; j < M; j++) {
        if (out->probability) {
            memcpy(out->probability + (i * M + j) * data->bins, p + j * bins,
                   (size_t)bins * sizeof *p);
        }
        for (int64_t f = 0; f < frames; f++) {
            double sum = 0;
            for (int64_t t = f * R; t < (f + 1) * R; t++)
                sum += p[j * bins + t];
            if (out->expected) out->expected[(i * M + j) * data->frames + f] = sum;
            if (out->deviation)
                out->deviation[(i * M + j) * data->frames + f] = sqrt(variance[j * frames + f]);
        }
    }
    if (!out->denoised) return VDI_OK;
    double *clean = (double *)vdi_arena_alloc(a, (size_t)(M * bins) * sizeof *clean);
    vdi_rng rng = vdi__ds_infer_rng(q, i);
    if (!clean) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_infer",
                             "no memory for the denoised trace");
    }
    const vdi_status status =
        d->generative.sample(data->theta + cell * data->theta_count, VDI_F64, bins, p, &rng, clean,
                             NULL, d->generative.user, err);
    if (status < 0) return status;
    for (int64_t j = 0; j < M; j++) {
        const double *s = data->scale + (cell * M + j) * 2;
        for (int64_t f = 0; f < frames; f++) {
            out->denoised[(i * M + j) * data->frames + f] =
                s[0] + s[1] * clean[j * bins + f * R + R - 1];
        }
    }
    return VDI_OK;
}

/* The log odds (bins,streams) of trace i. */
VDI__FN vdi_status vdi__ds_infer_odds(const vdi__ds_query *q, int64_t i, const char *x,
                                      vdi__ds_worker *w, char *odds, vdi_error *err) {
    const vdi_deepspike_desc *d = &q->m->desc;
    const int64_t M = q->data->streams, frames = q->data->length[i];
    if (!d->network.odds) {
        if (vdi__ds_convolve(q->m, x, frames, odds, &w->arena)) return VDI_OK;
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_infer",
                             "no memory for the convolutions");
    }
    vdi_tape_reset(w->tape);
    const bool old = vdi_tape_set_no_grad(w->tape, true);
    const vdi_var trace =
        vdi_tape_constant(w->tape, vdi_tensor_3d((void *)(uintptr_t)x, d->dtype, 1, frames, M));
    const vdi_var v = vdi__ds_network(q->m, w->tape, trace, &i).odds;
    (void)vdi_tape_set_no_grad(w->tape, old);
    const vdi_status status = vdi_tape_status(w->tape, err);
    if (status < 0) return status;
    memcpy(odds, vdi_tape_value(w->tape, v).data,
           (size_t)(frames * d->upsample * M) * vdi_dtype_size(d->dtype));
    return VDI_OK;
}

VDI__FN vdi_status vdi__ds_infer_factorised(const vdi__ds_query *q, int64_t i, vdi__ds_worker *w,
                                            vdi_error *err) {
    const vdi_deepspike_desc *d = &q->m->desc;
    const vdi_deepspike_data *data = q->data;
    const vdi_dtype dtype = d->dtype;
    const size_t size = vdi_dtype_size(dtype);
    const int64_t M = data->streams, R = d->upsample, frames = data->length[i];
    const int64_t bins = frames * R;
    const char *x = (const char *)data->x + (size_t)(i * data->frames * M) * size;
    double *p = (double *)vdi_arena_alloc(&w->arena, (size_t)(M * bins) * sizeof *p);
    double *variance =
        (double *)vdi_arena_calloc(&w->arena, (size_t)(M * frames) * sizeof *variance);
    char *odds = (char *)vdi_arena_alloc(&w->arena, (size_t)(bins * M) * size);
    if (!p || !variance || !odds) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_infer",
                             "no memory for a trace of %lld bins", (long long)bins);
    }
    const vdi_status status = vdi__ds_infer_odds(q, i, x, w, odds, err);
    if (status < 0) return status;
    vdi__ds_probability(dtype, d->floor, bins * M, odds, odds);
    for (int64_t t = 0; t < bins; t++) {
        for (int64_t j = 0; j < M; j++) {
            p[j * bins + t] = vdi_dtype_load(dtype, odds, t * M + j);
            variance[j * frames + t / R] += p[j * bins + t] * (1 - p[j * bins + t]);
        }
    }
    vdi_rng rng = vdi__ds_infer_rng(q, i);
    for (int64_t k = 0; q->out->sample && k < q->samples; k++) {
        for (int64_t j = 0; j < M * bins; j++) {
            q->out->sample[((k * data->traces + i) * M + j / bins) * data->bins + j % bins] =
                vdi_rng_uniform(&rng) < p[j];
        }
    }
    return vdi__ds_tell(q, i, p, variance, &w->arena, err);
}

/* Uniform numbers (bins,rows) for `count` traces from i on: each has its own, whoever runs beside
 * it. */
VDI__FN char *vdi__ds_infer_uniform(const vdi__ds_query *q, int64_t i, int64_t count, int64_t bins,
                                    vdi_arena *a) {
    const vdi_dtype dtype = q->m->desc.dtype;
    const int64_t S = q->samples, rows = count * S;
    const size_t size = vdi_dtype_size(dtype);
    char *own = (char *)vdi_arena_alloc(a, (size_t)(bins * S) * size);
    char *uniform = (char *)vdi_arena_alloc(a, (size_t)(bins * rows) * size);
    for (int64_t n = 0; own && uniform && n < count; n++) {
        vdi_rng rng = vdi__ds_infer_rng(q, i + n);
        vdi_rng_fill_uniform(&rng, dtype, bins * S, own);
        for (int64_t t = 0; t < bins; t++) {
            memcpy(uniform + (size_t)(t * rows + n * S) * size, own + (size_t)(t * S) * size,
                   (size_t)S * size);
        }
    }
    return own ? uniform : NULL;
}

/* All trains of `count` traces, block by block. */
VDI__FN void vdi__ds_infer_run(const vdi__ds_query *q, const vdi__ds_known *known,
                               const char *uniform, vdi__ds_rnn *r) {
    const int64_t bins = (int64_t)known->bins, count = (int64_t)known->count, S = q->samples;
    const size_t row = (size_t)r->rows * vdi_dtype_size(r->dtype);
    r->input = known->product;
    r->odds = known->odds;
    r->input_next = count * 3 * r->H;
    r->odds_next = count;
    if (count > 1 || S == 1) {
        r->share = S;
        r->input_step = 3 * r->H;
        r->odds_step = 1;
        r->in_place = S == 1;
    }
    for (int64_t t = 0; t < bins; t += r->T) {
        vdi__ds_rnn part = *r;
        part.T = r->T = VDI__MIN(bins - t, (int64_t)known->block);
        part.goes_on = t > 0;
        part.uniform = uniform + (size_t)t * row;
        part.train = (char *)r->train + (size_t)t * row;
        part.probability = (char *)r->probability + (size_t)t * row;
        vdi__ds_look_up(q->m, known, (size_t)t, (size_t)part.T);
        vdi__ds_rnn_run(&part);
    }
}

/* Marginals and the variance of counts of the n-th trace from its S trains; the trains themselves
 * if they are asked for, as those of trace i. */
VDI__FN void vdi__ds_infer_marginals(const vdi__ds_query *q, const vdi__ds_rnn *r, int64_t i,
                                     int64_t n, double *p, double *variance) {
    const vdi_deepspike_data *data = q->data;
    const int64_t S = q->samples, R = q->m->desc.upsample, frames = data->length[i];
    for (int64_t t = 0; t < frames * R; t++) {
        p[t] = 0;
        for (int64_t k = 0; k < S; k++) {
            const int64_t at = t * r->rows + n * S + k;
            p[t] += vdi_dtype_load(r->dtype, r->probability, at) / (double)S;
            if (q->out->sample) {
                q->out->sample[(k * data->traces + i) * data->bins + t] =
                    vdi_dtype_load(r->dtype, r->train, at) != 0;
            }
        }
    }
    for (int64_t f = 0; f < frames; f++) { /* of the numbers of spikes that were drawn */
        double sum = 0, sum2 = 0;
        for (int64_t k = 0; k < S; k++) {
            double spikes = 0;
            for (int64_t t = f * R; t < (f + 1) * R; t++) {
                spikes += vdi_dtype_load(r->dtype, r->train, t * r->rows + n * S + k);
            }
            sum += spikes;
            sum2 += spikes * spikes;
        }
        variance[f] = VDI__MAX(0, (sum2 - sum * sum / (double)S) / (double)VDI__MAX(S - 1, 1));
    }
}

/* `count` traces of one length, from i on. */
VDI__FN vdi_status vdi__ds_infer_correlated(const vdi__ds_query *q, int64_t i, int64_t count,
                                            vdi__ds_worker *w, vdi_error *err) {
    static const char where[] = "vdi_deepspike_infer";
    const vdi_deepspike_data *data = q->data;
    const size_t size = vdi_dtype_size(q->m->desc.dtype);
    const int64_t frames = data->length[i], bins = frames * q->m->desc.upsample;
    const char *x[VDI__DS_ABREAST];
    vdi__ds_rnn r = vdi__ds_rnn_of(q->m, count * q->samples, bins);
    vdi__ds_known known = VDI__ZERO;
    double *p = (double *)vdi_arena_alloc(&w->arena, (size_t)bins * sizeof *p);
    double *variance = (double *)vdi_arena_alloc(&w->arena, (size_t)frames * sizeof *variance);
    const char *uniform = vdi__ds_infer_uniform(q, i, count, bins, &w->arena);
    if (!p || !variance || !uniform) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for traces of %lld bins",
                             (long long)bins);
    }
    for (int64_t n = 0; n < count; n++) {
        x[n] = (const char *)data->x + (size_t)((i + n) * data->frames) * size;
    }
    known.count = (size_t)count;
    if (!vdi__ds_look_back(q->m, &known, x, frames, &w->arena) ||
        !vdi__ds_rnn_reserve(&r, &w->arena, false))
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the recurrent units");
    vdi__ds_infer_run(q, &known, uniform, &r);
    for (int64_t n = 0; n < count; n++) {
        vdi__ds_infer_marginals(q, &r, i + n, n, p, variance);
        const vdi_status status = vdi__ds_tell(q, i + n, p, variance, &w->arena, err);
        if (status < 0) return status;
    }
    return VDI_OK;
}

VDI__FN void vdi__ds_infer_job(int64_t job, int worker, void *user) {
    const vdi__ds_query *q = (const vdi__ds_query *)user;
    vdi__ds_worker *w = &q->m->worker[worker];
    if (q->m->desc.posterior == VDI_DEEPSPIKE_FACTORISED) {
        vdi_arena_reset(&w->arena);
        q->error[job].status = VDI_OK;
        (void)vdi__ds_infer_factorised(q, job, w, &q->error[job]);
        return;
    }
    const int64_t end = VDI__MIN((job + 1) * VDI__DS_ABREAST, q->data->traces);
    for (int64_t i = job * VDI__DS_ABREAST, n; i < end; i += n) {
        for (n = 1; i + n < end && q->data->length[i + n] == q->data->length[i];)
            n++;
        vdi_arena_reset(&w->arena);
        for (int64_t k = 0; k < n; k++)
            q->error[i + k].status = VDI_OK;
        (void)vdi__ds_infer_correlated(q, i, n, w, &q->error[i]);
    }
}

VDI__DEF vdi_status vdi_deepspike_infer(vdi_deepspike *m, vdi_deepspike_data *data,
                                        const vdi_deepspike_query *query,
                                        const vdi_deepspike_result *out, vdi_error *err) {
    static const char where[] = "vdi_deepspike_infer";
    const vdi_deepspike_desc *d = &m->desc;
    vdi__ds_query q = VDI__ZERO;
    if (data->dtype != d->dtype || data->streams != d->generative.streams ||
        data->bins != data->frames * d->upsample) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "the data were made for another network");
    }
    if (out->denoised && !d->generative.sample) {
        return vdi_error_set(err, VDI_ERR_STATE, where,
                             "a denoised trace needs a generative model that can be sampled");
    }
    q.m = m;
    q.data = data;
    q.out = out;
    q.samples = query && query->samples > 0 ? query->samples : 5;
    q.seed = query ? query->seed : 0;
    vdi_arena_reset(&m->arena);
    q.error = (vdi_error *)vdi_arena_alloc(&m->arena, (size_t)data->traces * sizeof *q.error);
    if (!q.error) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    const size_t frames = (size_t)(data->traces * data->streams * data->frames);
    const size_t bins = (size_t)(data->traces * data->streams * data->bins);
    if (out->probability) memset(out->probability, 0, bins * sizeof(double));
    if (out->expected) memset(out->expected, 0, frames * sizeof(double));
    if (out->deviation) memset(out->deviation, 0, frames * sizeof(double));
    if (out->denoised) memset(out->denoised, 0, frames * sizeof(double));
    if (out->sample) memset(out->sample, 0, (size_t)q.samples * bins);
    const int64_t jobs = d->posterior == VDI_DEEPSPIKE_FACTORISED
                             ? data->traces
                             : (data->traces + VDI__DS_ABREAST - 1) / VDI__DS_ABREAST;
    vdi_pool_run(d->pool, jobs, vdi__ds_infer_job, &q);
    for (int64_t i = 0; i < data->traces; i++) {
        if (q.error[i].status < 0) {
            if (err) *err = q.error[i];
            return q.error[i].status;
        }
    }
    return VDI_OK;
}
#endif
