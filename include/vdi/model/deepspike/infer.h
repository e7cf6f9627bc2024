/* model/deepspike/infer.h - what a trained DeepSpike says of traces: probabilities, expected
 * spikes, trains; and frame by frame
 *
 * Do this:
 *     vdi_deepspike_query q = VDI__ZERO;
 *     q.samples = 20;
 *     vdi_deepspike_result out = VDI__ZERO;
 *     out.expected = spikes;   (N,T), spikes a frame
 *     out.sample = trains;     (20,N,bins), 0 and 1
 *     if (vdi_deepspike_infer(net, data, &q, &out, &err) < 0) puts(err.message);
 *
 * For an experiment that reacts while it runs, a stream gives the factorised network's answer frame
 * by frame, a fixed number of frames late (half its field), with the bits of the whole trace at
 * once and without any allocation:
 *     void *memory = malloc(vdi_deepspike_stream_memsize(net, 1));
 *     vdi_deepspike_stream *s;
 *     vdi_deepspike_stream_init(net, 1, 0, 1, memory, vdi_deepspike_stream_memsize(net, 1), &s,
 *         &err);
 *     int64_t ready = vdi_deepspike_stream_push(s, 1, &frame, &probability);     0 at first, then 1
 */
#ifndef VDI_MODEL_DEEPSPIKE_INFER_H
#define VDI_MODEL_DEEPSPIKE_INFER_H
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

/** The factorised network over a trace that is not over yet: opaque, lives in the caller's
 * block. */
typedef struct vdi_deepspike_stream vdi_deepspike_stream;
/** Frames that an answer is late: half the field of the network. */
VDI_API int64_t vdi_deepspike_stream_delay(const vdi_deepspike *m);
/** Bytes that a stream needs which is given at most `most` frames at a time. */
VDI_API size_t vdi_deepspike_stream_memsize(const vdi_deepspike *m, int64_t most);
/** Begin a stream in `memory` (of memsize bytes). Frames are brought to (f - shift) / scale first.
 * It reads the network's parameters where
 *  they lie. VDI_ERR_UNSUPPORTED for a correlated posterior (that one looks at the
 *  end of the trace first) and for a network of one's own. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_stream_init(const vdi_deepspike *m, int64_t most,
                                                           double shift, double scale, void *memory,
                                                           size_t bytes, vdi_deepspike_stream **out,
                                                           vdi_error *err);
/** Give it n <= most frames (n,streams) of the network's dtype; NaN counts as the last finite
 * frame. probability (n, upsample, streams) of the same dtype receives what has become certain:
 * returns how many frames of it, 0 while the stream is younger than its delay. */
VDI_API int64_t vdi_deepspike_stream_push(vdi_deepspike_stream *s, int64_t n, const void *frames,
                                          void *probability);
/** The trace is over: the frames that are still owed, as many as the delay at most (delay,
 * upsample, streams). The stream then begins anew.
 */
VDI_API int64_t vdi_deepspike_stream_finish(vdi_deepspike_stream *s, void *probability);

#endif /* VDI_MODEL_DEEPSPIKE_INFER_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_INFER_C)
#define VDI_MODEL_DEEPSPIKE_INFER_C

/* ======== the convolutions, frames as they come =============================================== */

/* A layer's input window: `have` frames from `at` on. It begins with the padding before the trace,
   so that it holds width - 1 frames of the past; whatever is beyond them is turned into outputs at
   once. */
typedef struct vdi__ds_window {
    int64_t cin, cout, width, capacity, at, have;
    const void *w, *b;
    vdi_act act;
    char *data; /* (capacity, cin) */
} vdi__ds_window;

struct vdi_deepspike_stream {
    vdi_dtype dtype;
    int layers;
    int64_t most, delay, upsample, streams, seen, told; /* frames that came, and went */
    double shift, scale, floor;
    double last[VDI_DEEPSPIKE_STREAMS];
    vdi__ds_window layer[VDI_DEEPSPIKE_LAYERS + 1];
};

VDI__DEF int64_t vdi_deepspike_stream_delay(const vdi_deepspike *m) {
    int64_t sum = (m->desc.head_width - 1) / 2;
    for (int i = 0; i < m->desc.layers; i++)
        sum += (m->desc.width[i] - 1) / 2;
    return sum;
}

/* Frames that may stand in a window at once: its past, what is pushed or owed at the end, and room
 * so that it is moved down rarely. */
VDI__FN int64_t vdi__ds_capacity(const vdi_deepspike *m, int64_t width, int64_t most) {
    return 2 * (width - 1) + VDI__MAX(most, vdi_deepspike_stream_delay(m)) + 64;
}
VDI__DEF size_t vdi_deepspike_stream_memsize(const vdi_deepspike *m, int64_t most) {
    size_t bytes = VDI_ALIGN + vdi_align_size(sizeof(vdi_deepspike_stream));
    const size_t size = vdi_dtype_size(m->desc.dtype);
    for (int i = 0; i < m->desc.layers; i++) {
        bytes += vdi_align_size(
            (size_t)(vdi__ds_capacity(m, m->desc.width[i], most) * m->stack.channels[i]) * size);
    }
    return bytes + vdi_align_size((size_t)(vdi__ds_capacity(m, m->desc.head_width, most) *
                                           m->head.channels[0]) *
                                  size);
}

VDI__FN void vdi__ds_stream_restart(vdi_deepspike_stream *s) {
    for (int i = 0; i < s->layers; i++) {
        vdi__ds_window *l = &s->layer[i];
        l->at = 0;
        l->have = (l->width - 1) / 2;
        memset(l->data, 0, (size_t)(l->have * l->cin) * vdi_dtype_size(s->dtype));
    }
    s->seen = s->told = 0;
    s->last[0] = s->last[1] = s->shift;
}
VDI__FN vdi_deepspike_stream *vdi__ds_stream_make(const vdi_deepspike *m, int64_t most,
                                                  double shift, double scale, void *memory) {
    char *at =
        (char *)memory + ((VDI_ALIGN - ((uintptr_t)memory & (VDI_ALIGN - 1))) & (VDI_ALIGN - 1));
    vdi_deepspike_stream *s = (vdi_deepspike_stream *)(void *)at;
    memset(s, 0, sizeof *s);
    at += vdi_align_size(sizeof *s);
    s->dtype = m->desc.dtype;
    s->layers = m->desc.layers + 1;
    s->most = most;
    s->delay = vdi_deepspike_stream_delay(m);
    s->upsample = m->desc.upsample;
    s->streams = m->desc.generative.streams;
    s->shift = shift;
    s->scale = scale;
    s->floor = m->desc.floor;
    for (int i = 0; i < s->layers; i++) {
        vdi__ds_window *l = &s->layer[i];
        const bool head = i == m->desc.layers;
        const vdi_param *item = m->params->item + (head ? m->head_at : 2 * i);
        l->cin = head ? m->head.channels[0] : m->stack.channels[i];
        l->cout = head ? m->head.channels[1] : m->stack.channels[i + 1];
        l->width = head ? m->desc.head_width : m->desc.width[i];
        l->w = item[0].value.data;
        l->b = item[1].value.data;
        l->act = head ? m->head.out_act : VDI_ACT_LEAKY_RELU;
        l->capacity = vdi__ds_capacity(m, l->width, most);
        l->data = at;
        at += vdi_align_size((size_t)(l->capacity * l->cin) * vdi_dtype_size(s->dtype));
    }
    vdi__ds_stream_restart(s);
    return s;
}

VDI__DEF vdi_status vdi_deepspike_stream_init(const vdi_deepspike *m, int64_t most, double shift,
                                              double scale, void *memory, size_t bytes,
                                              vdi_deepspike_stream **out, vdi_error *err) {
    static const char where[] = "vdi_deepspike_stream_init";
    *out = NULL;
    if (m->desc.network.odds) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "a stream runs the stack of convolutions, not a network of one's own");
    }
    if (m->desc.posterior != VDI_DEEPSPIKE_FACTORISED) {
        return vdi_error_set(
            err, VDI_ERR_UNSUPPORTED, where,
            "a correlated posterior reads the trace from its end: it has no stream");
    }
    if (most < 1 || !(scale > 0) || !(shift - shift == 0)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "most is %lld, shift %g, scale %g",
                             (long long)most, shift, scale);
    }
    if (!memory || bytes < vdi_deepspike_stream_memsize(m, most)) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where,
                             "the block holds %zu bytes, %zu are needed", memory ? bytes : 0,
                             vdi_deepspike_stream_memsize(m, most));
    }
    *out = vdi__ds_stream_make(m, most, shift, scale, memory);
    return VDI_OK;
}

/* Where the next n input frames of a layer go. */
VDI__FN char *vdi__ds_room(const vdi_deepspike_stream *s, vdi__ds_window *l, int64_t n) {
    const size_t row = (size_t)l->cin * vdi_dtype_size(s->dtype);
    if (l->at + l->have + n > l->capacity) {
        memmove(l->data, l->data + (size_t)l->at * row, (size_t)l->have * row);
        l->at = 0;
    }
    return l->data + (size_t)(l->at + l->have) * row;
}
/* What the windows hold beyond their past, through all layers; `end` pads behind the trace. Log
   odds (or features) to out: returns how many frames. */
VDI__FN int64_t vdi__ds_advance(vdi_deepspike_stream *s, bool end, void *out) {
    int64_t rows = 0;
    const size_t size = vdi_dtype_size(s->dtype);
    for (int i = 0; i < s->layers; i++) {
        vdi__ds_window *l = &s->layer[i];
        if (end) {
            const int64_t pad = (l->width - 1) / 2;
            memset(vdi__ds_room(s, l, pad), 0, (size_t)(pad * l->cin) * size);
            l->have += pad;
        }
        rows = VDI__MAX(0, l->have - (l->width - 1));
        if (!rows) continue;
        void *to = i + 1 < s->layers ? vdi__ds_room(s, &s->layer[i + 1], rows) : out;
        vdi_affine(s->dtype, (size_t)rows, (size_t)l->cout, (size_t)(l->width * l->cin),
                   l->data + (size_t)(l->at * l->cin) * size, (size_t)l->cin, l->w, (size_t)l->cout,
                   l->b, l->act, 0.2, to, (size_t)l->cout);
        if (i + 1 < s->layers) s->layer[i + 1].have += rows;
        l->at += rows;
        l->have -= rows;
    }
    return rows;
}

VDI__DEF int64_t vdi_deepspike_stream_push(vdi_deepspike_stream *s, int64_t n, const void *frames,
                                           void *probability) {
    if (n < 1 || n > s->most) return 0;
    char *to = vdi__ds_room(s, &s->layer[0], n);
    for (int64_t i = 0; i < n * s->streams; i++) {
        double *last = &s->last[i % s->streams];
        const double f = vdi_dtype_load(s->dtype, frames, i);
        if (f - f == 0) *last = f;
        vdi_dtype_store(s->dtype, to, i, (*last - s->shift) / s->scale);
    }
    s->layer[0].have += n;
    s->seen += n;
    const int64_t ready = vdi__ds_advance(s, false, probability);
    vdi__ds_probability(s->dtype, s->floor, ready * s->upsample * s->streams, probability,
                        probability);
    s->told += ready;
    return ready;
}
VDI__DEF int64_t vdi_deepspike_stream_finish(vdi_deepspike_stream *s, void *probability) {
    const int64_t ready = s->seen ? vdi__ds_advance(s, true, probability) : 0;
    vdi__ds_probability(s->dtype, s->floor, ready * s->upsample * s->streams, probability,
                        probability);
    vdi__ds_stream_restart(s);
    return ready;
}

/* ======== whole traces ======================================================================== */

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
        memcpy(vdi__ds_room(s, &s->layer[0], n), x + (size_t)t * in, (size_t)n * in);
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

VDI__FN vdi_status vdi__ds_infer_factorised(const vdi__ds_query *q, int64_t i, vdi__ds_worker *w,
                                            vdi_error *err) {
    static const char where[] = "vdi_deepspike_infer";
    const vdi_deepspike_desc *d = &q->m->desc;
    const vdi_deepspike_data *data = q->data;
    vdi_arena *a = &w->arena;
    const vdi_dtype dtype = d->dtype;
    const size_t size = vdi_dtype_size(dtype);
    const int64_t M = data->streams;
    const int64_t R = d->upsample;
    const int64_t frames = data->length[i];
    const int64_t bins = frames * R;
    const char *x = (const char *)data->x + (size_t)(i * data->frames * M) * size;
    double *p = (double *)vdi_arena_alloc(a, (size_t)(M * bins) * sizeof *p);
    double *variance = (double *)vdi_arena_calloc(a, (size_t)(M * frames) * sizeof *variance);
    char *odds = (char *)vdi_arena_alloc(a, (size_t)(bins * M) * size);
    if (!p || !variance || !odds) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for a trace of %lld bins",
                             (long long)bins);
    }
    if (d->network.odds) {
        vdi_tape_reset(w->tape);
        const bool old = vdi_tape_set_no_grad(w->tape, true);
        vdi_var v = vdi__ds_network(q->m, w->tape,
                                    vdi_tape_constant(w->tape, vdi_tensor_3d((void *)(uintptr_t)x,
                                                                             dtype, 1, frames, M)),
                                    &i)
                        .odds;
        (void)vdi_tape_set_no_grad(w->tape, old);
        const vdi_status status = vdi_tape_status(w->tape, err);
        if (status < 0) return status;
        memcpy(odds, vdi_tape_value(w->tape, v).data, (size_t)(bins * M) * size);
    } else if (!vdi__ds_convolve(q->m, x, frames, odds, a)) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the convolutions");
    }
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
    return vdi__ds_tell(q, i, p, variance, a, err);
}

/* `count` traces of one length, from i on. */
VDI__FN vdi_status vdi__ds_infer_correlated(const vdi__ds_query *q, int64_t i, int64_t count,
                                            vdi__ds_worker *w, vdi_error *err) {
    static const char where[] = "vdi_deepspike_infer";
    const vdi_deepspike_desc *d = &q->m->desc;
    const vdi_deepspike_data *data = q->data;
    vdi_arena *a = &w->arena;
    const vdi_dtype dtype = d->dtype;
    const size_t size = vdi_dtype_size(dtype);
    const int64_t R = d->upsample;
    const int64_t frames = data->length[i];
    const int64_t bins = frames * R;
    const int64_t S = q->samples;
    const int64_t rows = count * S;
    const char *x[VDI__DS_ABREAST];
    vdi__ds_rnn r = vdi__ds_rnn_of(q->m, rows, bins);
    vdi__ds_known known = VDI__ZERO;
    double *p = (double *)vdi_arena_alloc(a, (size_t)bins * sizeof *p);
    double *variance = (double *)vdi_arena_alloc(a, (size_t)frames * sizeof *variance);
    char *own = (char *)vdi_arena_alloc(a, (size_t)(bins * S) * size);
    char *uniform = (char *)vdi_arena_alloc(a, (size_t)(bins * rows) * size);
    if (!p || !variance || !own || !uniform) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for traces of %lld bins",
                             (long long)bins);
    }
    for (int64_t n = 0; n < count; n++) {
        /* numbers of its own for each trace, whoever runs beside it */
        vdi_rng rng = vdi__ds_infer_rng(q, i + n);
        x[n] = (const char *)data->x + (size_t)((i + n) * data->frames) * size;
        vdi_rng_fill_uniform(&rng, dtype, bins * S, own);
        for (int64_t t = 0; t < bins; t++) {
            memcpy(uniform + (size_t)(t * rows + n * S) * size, own + (size_t)(t * S) * size,
                   (size_t)S * size);
        }
    }
    known.count = (size_t)count;
    if (!vdi__ds_look_back(q->m, &known, x, frames, a) || !vdi__ds_rnn_room(&r, a, false))
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the recurrent units");
    r.input = known.product;
    r.odds = known.odds;
    r.input_next = count * 3 * r.H;
    r.odds_next = count;
    if (count > 1 || S == 1) {
        r.share = S;
        r.input_step = 3 * r.H;
        r.odds_step = 1;
        r.in_place = S == 1;
    }
    for (int64_t t = 0; t < bins; t += r.T) {
        vdi__ds_rnn part = r;
        part.T = r.T = VDI__MIN(bins - t, (int64_t)known.block);
        part.goes_on = t > 0;
        part.uniform = uniform + (size_t)(t * rows) * size;
        part.train = (char *)r.train + (size_t)(t * rows) * size;
        part.probability = (char *)r.probability + (size_t)(t * rows) * size;
        vdi__ds_look_up(q->m, &known, (size_t)t, (size_t)part.T);
        vdi__ds_rnn_run(&part);
    }
    for (int64_t n = 0; n < count; n++) {
        for (int64_t t = 0; t < bins; t++) {
            p[t] = 0;
            for (int64_t k = 0; k < S; k++)
                p[t] += vdi_dtype_load(dtype, r.probability, t * rows + n * S + k) / (double)S;
        }
        for (int64_t f = 0; f < frames; f++) { /* of the numbers of spikes that were drawn */
            double sum = 0, sum2 = 0;
            for (int64_t k = 0; k < S; k++) {
                double spikes = 0;
                for (int64_t t = f * R; t < (f + 1) * R; t++)
                    spikes += vdi_dtype_load(dtype, r.train, t * rows + n * S + k);
                sum += spikes;
                sum2 += spikes * spikes;
            }
            variance[f] = VDI__MAX(0, (sum2 - sum * sum / (double)S) / (double)VDI__MAX(S - 1, 1));
        }
        for (int64_t k = 0; q->out->sample && k < S; k++) {
            for (int64_t t = 0; t < bins; t++) {
                q->out->sample[(k * data->traces + i + n) * data->bins + t] =
                    vdi_dtype_load(dtype, r.train, t * rows + n * S + k) != 0;
            }
        }
        const vdi_status status = vdi__ds_tell(q, i + n, p, variance, a, err);
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
