/* model/deepspike/stream.h - the factorised network frame by frame
 *
 * For an experiment that reacts while it runs: the answer comes frame by frame, a fixed number of
 * frames late (half the network's field), with the bits of the whole trace at once and without any
 * allocation:
 *     const size_t bytes = vdi_deepspike_stream_memsize(net, 1);
 *     void *memory = malloc(bytes);
 *     vdi_deepspike_stream *s;
 *     if (vdi_deepspike_stream_init(net, 1, 0, 1, memory, bytes, &s, &err) < 0) puts(err.message);
 *     int64_t ready = vdi_deepspike_stream_push(s, 1, &frame, &probability);     0 at first, then 1
 */
#ifndef VDI_MODEL_DEEPSPIKE_STREAM_H
#define VDI_MODEL_DEEPSPIKE_STREAM_H
#include "deepspike.h"

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

#endif /* VDI_MODEL_DEEPSPIKE_STREAM_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_STREAM_C)
#define VDI_MODEL_DEEPSPIKE_STREAM_C

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
VDI__FN char *vdi__ds_append(const vdi_deepspike_stream *s, vdi__ds_window *l, int64_t n) {
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
            memset(vdi__ds_append(s, l, pad), 0, (size_t)(pad * l->cin) * size);
            l->have += pad;
        }
        rows = VDI__MAX(0, l->have - (l->width - 1));
        if (!rows) continue;
        void *to = i + 1 < s->layers ? vdi__ds_append(s, &s->layer[i + 1], rows) : out;
        vdi_affine(s->dtype, (size_t)rows, (size_t)l->cout, (size_t)(l->width * l->cin),
                   l->data + (size_t)(l->at * l->cin) * size, (size_t)l->cin, l->w, (size_t)l->cout,
                   l->b, l->act, VDI__DS_SLOPE, to, (size_t)l->cout);
        if (i + 1 < s->layers) s->layer[i + 1].have += rows;
        l->at += rows;
        l->have -= rows;
    }
    return rows;
}

VDI__DEF int64_t vdi_deepspike_stream_push(vdi_deepspike_stream *s, int64_t n, const void *frames,
                                           void *probability) {
    if (n < 1 || n > s->most) return 0;
    char *to = vdi__ds_append(s, &s->layer[0], n);
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
#endif
