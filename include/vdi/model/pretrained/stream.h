/* model/pretrained/stream.h - the pretrained network frame by frame, for closed loops
 *
 * Do this:
 *     vdi_pretrained_stream *s;
 *     if (vdi_pretrained_stream_create(net, 30.0, VDI_F64, 1800, first, NULL, &s, &err) < 0)
 *         puts(err.message);                           the first minute says what indicator this is
 *     for (;;) {
 *         double spikes;
 *         vdi_pretrained_stream_push(s, frame, &spikes);          expected spikes of the frame that
 *     }                                                was vdi_pretrained_stream_delay frames ago
 *     vdi_pretrained_stream_destroy(s);
 *
 * Statistics and scale come from the first part of the recording, half a minute or more; they are
 * not updated. The baseline is that of prepare.h, but looks back only: medians of half seconds, the
 * 20th percentile of the last 30 s, a mean of five. A missing frame repeats the one before it.
 * Spikes are those of vdi_pretrained_infer up to these differences (tested: correlations within
 * 0.02), with a delay of some two seconds: the part of the future that the network sees.
 *
 * What it does NOT do: remove artefacts of single frames, cut out gaps, or run with a shorter
 * delay, for which the network would have to be retrained.
 * Memory: create allocates, about 0.7 MB for the shipped weights; push does not. Time: some
 * microseconds a frame; a step of 30 Hz is done in each, though they come by four, for a tenth of a
 * second more. Errors: create, as vdi_pretrained_infer. Threads: one stream, one thread.
 */
#ifndef VDI_MODEL_PRETRAINED_STREAM_H
#define VDI_MODEL_PRETRAINED_STREAM_H
#include "infer.h"

/** A stream: an opaque object. The network has to outlive it, and its weights not to change. */
typedef struct vdi_pretrained_stream vdi_pretrained_stream;
/** Start after a first stretch `trace` (frames) of `dtype`, whose last frame comes before the first
 * one that is pushed. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_stream_create(
    const vdi_pretrained *net, double fps, vdi_dtype dtype, int64_t frames, const void *trace,
    const vdi_allocator *a, vdi_pretrained_stream **out, vdi_error *err);
/** Give its memory back. NULL is ignored. */
VDI_API void vdi_pretrained_stream_destroy(vdi_pretrained_stream *s);
/** Frames between a push and the frame that it tells of. */
VDI_API int64_t vdi_pretrained_stream_delay(const vdi_pretrained_stream *s);
/** One frame in; *spikes: expected spikes of the frame that was pushed `delay` pushes ago. False,
 * and 0, while there was none. */
VDI_API bool vdi_pretrained_stream_push(vdi_pretrained_stream *s, double frame, double *spikes);

#endif /* VDI_MODEL_PRETRAINED_STREAM_H */

#if defined(VDI__BODIES) && defined(VDI_PRETRAINED_IMPLEMENTATION) && \
    !defined(VDI_MODEL_PRETRAINED_STREAM_C)
#define VDI_MODEL_PRETRAINED_STREAM_C

/* ======== a layer that gets a vector at a time ================================================ */

typedef struct vdi__stage {
    int64_t taps, dilation, in, out; /* channels */
    bool active, residual;           /* leaky; added to what came in */
    float *w, *bias, *ring, *value;  /* folded (taps in,out), (out) or NULL, (span,in), (out) */
    int64_t span, seen, made;        /* vectors of the ring, a power of two; in and out so far */
} vdi__stage;

VDI__FN int64_t vdi__stage_reach(const vdi__stage *g) { return g->dilation * (g->taps / 2); }

VDI__FN float *vdi__stage_at(const vdi__stage *g, int64_t i) {
    return g->ring + (i & (g->span - 1)) * g->in;
}

/* A vector in; true where g->value is the next one out. Before the first there are zeros. */
VDI__FN bool vdi__stage_push(vdi__stage *g, const float *vector, float *scratch) {
    memcpy(vdi__stage_at(g, g->seen), vector, (size_t)g->in * sizeof *vector);
    g->seen++;
    if (g->seen <= g->made + vdi__stage_reach(g)) return false;
    for (int64_t k = 0; k < g->taps; k++) {
        const int64_t i = g->made + (k - g->taps / 2) * g->dilation;
        if (i < 0)
            memset(scratch + k * g->in, 0, (size_t)g->in * sizeof *scratch);
        else
            memcpy(scratch + k * g->in, vdi__stage_at(g, i), (size_t)g->in * sizeof *scratch);
    }
    const size_t rows = (size_t)(g->taps * g->in), C = (size_t)g->out;
    vdi_affine(VDI_F32, 1, C, rows, scratch, rows, g->w, C, g->bias,
               g->active ? VDI_ACT_LEAKY_RELU : VDI_ACT_NONE, VDI__PRE_SLOPE, g->value, C);
    if (g->residual) vdi_axpby(VDI_F32, C, 1, vdi__stage_at(g, g->made), 1, g->value);
    g->made++;
    return true;
}

/* ======== a member ============================================================================ */

enum { VDI__STREAM_STAGES = VDI_LAYERS_MAX + VDI_PRETRAINED_CONTEXT + 4 };

typedef struct vdi__stream_member {
    vdi__stage stage[VDI__STREAM_STAGES]; /* stem, down, context, up, layers, head */
    int64_t layers, context;
    float *wait;         /* (span,C): what the stem said, until the branch has */
    int64_t span, in;    /* vectors of it, and how many came */
    int64_t ready, done; /* steps that the branch has been added to, that went through the layers */
    float *group;        /* (VDI__PRE_SLOW,C) */
    float *scratch;      /* (largest taps in) */
} vdi__stream_member;

enum { VDI__STREAM_MEDIANS = 64, VDI__STREAM_SMOOTH = 5 };

struct vdi_pretrained_stream {
    vdi_allocator allocator;
    size_t bytes;
    double fps, scale, offset;
    vdi__stream_member member[VDI_PRETRAINED_MEMBERS];
    int members;
    int64_t channels, delay;
    /* the baseline */
    float *block, median[VDI__STREAM_MEDIANS], smooth[VDI__STREAM_SMOOTH];
    int64_t width, filled, medians;
    double baseline, last;
    /* the grid: frames in, samples out, the integral of frames above 63 Hz */
    int64_t frames, samples;
    double before, sum, edge_sum, pair[2];
    /* results: steps of each member that are there, samples that all have given */
    float *head; /* (members,span,2): expected spikes of a step's two samples */
    int64_t span, steps[VDI_PRETRAINED_MEMBERS], told;
    double until, frame_from; /* expected spikes before sample `told`, and up to the last frame */
    double *result;           /* (queue): expected spikes of frames */
    int64_t queue, results;
};

/* The head of step i of a member. */
VDI__FN void vdi__stream_head(vdi_pretrained_stream *s, int m, const float *value) {
    float *to = s->head + (m * s->span + (s->steps[m]++ & (s->span - 1))) * 2;
    to[0] = value[0];
    to[1] = value[1];
}

/* A vector at 30 Hz that the branch has been added to, through the layers. */
VDI__FN void vdi__stream_layers(vdi_pretrained_stream *s, int m, const float *vector) {
    vdi__stream_member *u = &s->member[m];
    vdi__stage *g = u->stage + 3 + u->context;
    for (int64_t i = 0; i <= u->layers; i++, g++) {
        if (!vdi__stage_push(g, vector, u->scratch)) return;
        vector = g->value;
    }
    vdi__stream_head(s, m, vector);
}

/* Four vectors of the stem side by side, through the branch. */
VDI__FN void vdi__stream_branch(vdi_pretrained_stream *s, int m) {
    vdi__stream_member *u = &s->member[m];
    const int64_t C = s->channels;
    const float *vector = u->group;
    vdi__stage *g = u->stage + 1;
    for (int64_t i = 0; i < u->context + 2; i++, g++) {
        if (!vdi__stage_push(g, vector, u->scratch)) return;
        vector = g->value;
    }
    for (int64_t k = 0; k < VDI__PRE_SLOW; k++) {
        const int64_t step = VDI__PRE_SLOW * (g[-1].made - 1) + k;
        vdi_axpby(VDI_F32, (size_t)C, 1, vector + k * C, 1, u->wait + (step & (u->span - 1)) * C);
        u->ready = step + 1;
    }
}

/* Two samples of the grid. */
VDI__FN void vdi__stream_pair(vdi_pretrained_stream *s, float a, float b) {
    const float pair[2] = {a, b};
    const size_t bytes = (size_t)s->channels * sizeof(float);
    for (int m = 0; m < s->members; m++) {
        vdi__stream_member *u = &s->member[m];
        vdi__stage *stem = u->stage;
        if (!vdi__stage_push(stem, pair, u->scratch)) continue;
        memcpy(u->wait + (u->in & (u->span - 1)) * s->channels, stem->value, bytes);
        memcpy(u->group + u->in % VDI__PRE_SLOW * s->channels, stem->value, bytes);
        if (++u->in % VDI__PRE_SLOW == 0) vdi__stream_branch(s, m);
        if (u->done == u->ready) continue;
        /* one step of the four that the branch has told of, so that no frame has to do them all */
        vdi__stream_layers(s, m, u->wait + (u->done++ & (u->span - 1)) * s->channels);
    }
}

/* ======== from samples to frames ============================================================== */

/* Expected spikes of samples that all members have told of, into frames: frame k ends at sample
 * (k + 1/2) 60 / fps + 1/2. The pad before the first sample is left out. */
VDI__FN void vdi__stream_tell(vdi_pretrained_stream *s) {
    int64_t steps = s->steps[0];
    for (int m = 1; m < s->members; m++)
        steps = VDI__MIN(steps, s->steps[m]);
    for (; s->told < 2 * steps - VDI__PRE_PAD; s->told++) {
        const int64_t at = s->told + VDI__PRE_PAD;
        double expected = 0;
        for (int m = 0; m < s->members; m++) {
            const float *head = s->head + (m * s->span + (at / 2 & (s->span - 1))) * 2;
            float x = head[at % 2];
            vdi_softplus(VDI_F32, 1, &x, &x);
            expected += (double)x / s->members;
        }
        for (;;) {
            const double per_frame = VDI_PRETRAINED_GRID / s->fps;
            const double edge = ((double)s->results + 0.5) * per_frame + 0.5;
            if (!(edge <= (double)(s->told + 1))) break;
            const double until = s->until + VDI__MAX(0, edge - (double)s->told) * expected;
            s->result[s->results++ & (s->queue - 1)] = VDI__MAX(0, until - s->frame_from);
            s->frame_from = until;
        }
        s->until += expected;
    }
}

/* A sample of the grid; the first one is held for the pad before it. */
VDI__FN void vdi__stream_sample(vdi_pretrained_stream *s, double x) {
    if (s->samples == 0) {
        for (int i = 0; i < VDI__PRE_PAD / 2; i++)
            vdi__stream_pair(s, (float)x, (float)x);
    }
    s->pair[s->samples++ % 2] = x;
    if (s->samples % 2 == 0) vdi__stream_pair(s, (float)s->pair[0], (float)s->pair[1]);
}

/* Samples that frame number s->frames, of the value x, completes. */
VDI__FN void vdi__stream_grid(vdi_pretrained_stream *s, double x) {
    const double k = (double)s->frames, per_sample = s->fps / VDI_PRETRAINED_GRID;
    if (s->fps <= 1.05 * VDI_PRETRAINED_GRID) {
        for (;;) {
            const double at = (double)s->samples * per_sample;
            if (at > k) break;
            vdi__stream_sample(s, s->frames ? s->before + (at - k + 1) * (x - s->before) : x);
        }
    } else {
        for (;;) {
            const double from = VDI__MAX(0, ((double)s->samples - 0.5) * per_sample + 0.5);
            const double to = ((double)s->samples + 0.5) * per_sample + 0.5;
            if (to > k + 1) break;
            const double until = s->sum + (to - k) * x;
            vdi__stream_sample(s, (until - s->edge_sum) / (to - from));
            s->edge_sum = until;
        }
        s->sum += x;
    }
    s->before = x;
    s->frames++;
}

/* ======== the baseline ======================================================================== */

/* A half second is full: its median joins those of the last 30 s. */
VDI__FN void vdi__stream_block(vdi_pretrained_stream *s) {
    float sorted[VDI__STREAM_MEDIANS];
    const int64_t most = 61, n = VDI__MIN(s->medians + 1, most);
    s->median[s->medians % most] = (float)vdi__quantile(s->block, s->filled, 0.5);
    s->medians++;
    s->filled = 0;
    memcpy(sorted, s->median, (size_t)n * sizeof *sorted);
    s->smooth[(s->medians - 1) % VDI__STREAM_SMOOTH] = (float)vdi__quantile(sorted, n, 0.2);
    const int64_t means = VDI__MIN(s->medians, (int64_t)VDI__STREAM_SMOOTH);
    s->baseline = 0;
    for (int64_t i = 0; i < means; i++)
        s->baseline += (double)s->smooth[i] / (double)means;
}

/* A frame above the baseline, over the scale. */
VDI__FN double vdi__stream_above(vdi_pretrained_stream *s, double frame) {
    if (!(frame - frame == 0) || !(fabs(frame) < 1e30)) frame = s->last;
    s->last = frame;
    s->block[s->filled++] = (float)(frame - s->offset);
    if (s->filled == s->width) vdi__stream_block(s);
    return s->scale > 0 ? (frame - s->offset - s->baseline) / s->scale : 0;
}

/* ======== creation ============================================================================ */

VDI__FN int64_t vdi__stream_power(int64_t least) {
    int64_t n = 1;
    while (n < least) {
        n *= 2;
    }
    return n;
}

/* Floats from the block, or counted where there is none yet. */
typedef struct vdi__stream_cut {
    char *at;
    size_t bytes;
} vdi__stream_cut;
VDI__FN void *vdi__stream_take(vdi__stream_cut *c, int64_t count, size_t size) {
    void *p = c->at ? c->at + c->bytes : NULL;
    c->bytes += vdi__align_count(count, size);
    return p;
}

VDI__FN void vdi__stage_cut(vdi__stage *g, vdi__stream_cut *c, bool bias) {
    g->span = vdi__stream_power(2 * vdi__stage_reach(g) + 2);
    g->w = (float *)vdi__stream_take(c, g->taps * g->in * g->out, sizeof(float));
    g->bias = bias ? (float *)vdi__stream_take(c, g->out, sizeof(float)) : NULL;
    g->ring = (float *)vdi__stream_take(c, g->span * g->in, sizeof(float));
    g->value = (float *)vdi__stream_take(c, g->out, sizeof(float));
}

VDI__FN vdi__stage vdi__stage_of(int64_t taps, int64_t dilation, int64_t in, int64_t out,
                                 bool active, bool residual) {
    vdi__stage g = VDI__ZERO;
    g.taps = taps;
    g.dilation = dilation;
    g.in = in;
    g.out = out;
    g.active = active;
    g.residual = residual;
    return g;
}

/* The shapes and the memory of a member. */
VDI__FN void vdi__stream_member_cut(const vdi_pretrained_desc *d, vdi__stream_member *u,
                                    vdi__stream_cut *c) {
    const int64_t C = d->channels, S = VDI__PRE_SLOW;
    vdi__stage *g = u->stage;
    int64_t slow = 2, most = 0;
    u->layers = d->layers;
    u->context = d->context;
    *g++ = vdi__stage_of(d->stem, 1, 2, C, true, false);
    *g++ = vdi__stage_of(VDI__PRE_DOWN_TAPS, 1, S * C, C, true, false);
    for (int i = 0; i < d->context; i++) {
        *g++ = vdi__stage_of(VDI__PRE_TAPS, (int64_t)1 << i, C, C, true, true);
        slow += (int64_t)(VDI__PRE_TAPS / 2) << i;
    }
    *g++ = vdi__stage_of(1, 1, C, S * C, false, false);
    for (int i = 0; i < d->layers; i++)
        *g++ = vdi__stage_of(d->width, d->dilation[i], C, C, true, true);
    *g++ = vdi__stage_of(VDI__PRE_HEAD_TAPS, 1, C, VDI__PRE_OUT, false, false);
    for (vdi__stage *k = u->stage; k < g; k++) {
        vdi__stage_cut(k, c, k->active || k == g - 1);
        most = VDI__MAX(most, k->taps * k->in);
    }
    u->span = vdi__stream_power(S * (slow + 3));
    u->wait = (float *)vdi__stream_take(c, u->span * C, sizeof(float));
    u->group = (float *)vdi__stream_take(c, S * C, sizeof(float));
    u->scratch = (float *)vdi__stream_take(c, most, sizeof(float));
}

/* Steps by which a result is late: what an output sees, groups of steps, and a group that is done
 * step by step. */
VDI__FN int64_t vdi__stream_steps_late(const vdi_pretrained_desc *d) {
    return vdi__pretrained_reach(d) + 2 * VDI__PRE_SLOW - 1;
}

VDI__FN void vdi__stream_cut_all(vdi_pretrained_stream *s, const vdi_pretrained_desc *d,
                                 vdi__stream_cut *c) {
    (void)vdi__stream_take(c, 1, sizeof *s);
    for (int m = 0; m < s->members; m++)
        vdi__stream_member_cut(d, &s->member[m], c);
    s->span = vdi__stream_power(vdi__stream_steps_late(d) + VDI__PRE_PAD);
    s->queue = vdi__stream_power(2 * s->delay + 8);
    s->head = (float *)vdi__stream_take(c, s->members * s->span * 2, sizeof(float));
    s->result = (double *)vdi__stream_take(c, s->queue, sizeof(double));
    s->block = (float *)vdi__stream_take(c, s->width, sizeof(float));
}

/* Weights with the scales of this trace folded in. */
VDI__FN void vdi__stream_fold(const vdi__pretrained_run *r, vdi__stream_member *u) {
    const vdi__pretrained_places *at = &r->net->at;
    const int64_t C = r->net->desc.channels;
    vdi__stage *g = u->stage;
    for (int64_t i = 0; i < 4 + u->context + u->layers; i++, g++) {
        const int64_t layer = i - 3 - u->context, context = i - 2;
        const bool is_up = i == 2 + u->context, is_head = i == 3 + u->context + u->layers;
        const int place = i == 0      ? at->stem
                          : i == 1    ? at->down
                          : is_up     ? at->up
                          : is_head   ? at->head
                          : layer < 0 ? at->context + (int)context
                                      : at->layer + (int)layer;
        const int64_t film = i == 0      ? 0
                             : i == 1    ? u->layers + 1
                             : layer < 0 ? u->layers + 2 + context
                                         : layer + 1;
        const float *w = vdi__pretrained_data(r, place), *gain = r->u->film + 2 * C * film;
        const size_t count = (size_t)(g->taps * g->in * g->out);
        if (is_up || is_head) {
            memcpy(g->w, w, count * sizeof *w);
            if (is_head)
                memcpy(g->bias, vdi__pretrained_data(r, place + 1), (size_t)g->out * sizeof *w);
        } else {
            vdi__fold(g->taps * g->in, C, w, gain, g->w);
            memcpy(g->bias, gain + C, (size_t)C * sizeof *w);
        }
    }
}

/* Statistics, scale and baseline of the first stretch; `work` as vdi_pretrained_infer has it. */
VDI__FN vdi_status vdi__stream_learn(vdi_pretrained_stream *s, const vdi_pretrained *net,
                                     vdi_dtype dtype, int64_t frames, const void *trace, char *work,
                                     vdi_error *err) {
    const size_t prepare = vdi_pretrained_prepare_memsize(frames, s->fps);
    vdi_prepared p = VDI__ZERO;
    vdi__pretrained_run r;
    const vdi_status status =
        vdi_pretrained_prepare(dtype, frames, trace, s->fps, work, prepare, &p, err);
    if (status < 0) return status;
    char *at = (char *)(((uintptr_t)work + prepare + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    vdi__pretrained_work u = vdi__pretrained_cut(net, vdi_pretrained_grid(frames, s->fps), at);
    r.net = net;
    r.p = &p;
    r.u = &u;
    for (int m = 0; m < s->members; m++) {
        r.item = net->params->item + m * net->at.count;
        vdi__pretrained_condition(&r);
        vdi__stream_fold(&r, &s->member[m]);
    }
    s->scale = p.scale;
    s->offset = p.offset;
    s->last = p.offset;
    for (int64_t i = 0; i < frames; i++)
        (void)vdi__stream_above(s, vdi_dtype_load(dtype, trace, i));
    return VDI_OK;
}

VDI__DEF vdi_status vdi_pretrained_stream_create(const vdi_pretrained *net, double fps,
                                                 vdi_dtype dtype, int64_t frames, const void *trace,
                                                 const vdi_allocator *a,
                                                 vdi_pretrained_stream **out, vdi_error *err) {
    static const char where[] = "vdi_pretrained_stream_create";
    const vdi_allocator allocator = vdi_allocator_defaults(a);
    const vdi_pretrained_desc *d = &net->desc;
    vdi_pretrained_stream plan = VDI__ZERO;
    vdi__stream_cut c = VDI__ZERO;
    *out = NULL;
    const size_t size = vdi_pretrained_memsize(net, frames, fps);
    if (size == 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "%lld frames at %g Hz: expected at least one, and a rate above 0",
                             (long long)frames, fps);
    }
    plan.fps = fps;
    plan.members = d->members;
    plan.channels = d->channels;
    plan.width = VDI__MAX((int64_t)1, (int64_t)nearbyint(0.5 * VDI__MIN(fps, 1e6)));
    /* two samples a step, one more to interpolate, half a frame and a half sample */
    const double late = (double)(2 * vdi__stream_steps_late(d) + 4) * fps / VDI_PRETRAINED_GRID;
    plan.delay = (int64_t)ceil(late) + 2;
    vdi__stream_cut_all(&plan, d, &c);
    char *block = (char *)vdi_alloc(&allocator, c.bytes);
    char *work = (char *)vdi_alloc(&allocator, size);
    vdi_status status = VDI_OK;
    if (!block || !work) {
        status =
            vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu bytes", c.bytes + size);
    } else {
        vdi_pretrained_stream *s = (vdi_pretrained_stream *)(void *)block;
        memset(block, 0, c.bytes);
        plan.allocator = allocator;
        plan.bytes = c.bytes;
        c.at = block;
        c.bytes = 0;
        *s = plan;
        vdi__stream_cut_all(s, d, &c);
        status = vdi__stream_learn(s, net, dtype, frames, trace, work, err);
        if (status >= 0) *out = s;
    }
    vdi_free(&allocator, work, size);
    if (status < 0) vdi_free(&allocator, block, plan.bytes ? plan.bytes : c.bytes);
    return status;
}

VDI__DEF void vdi_pretrained_stream_destroy(vdi_pretrained_stream *s) {
    if (!s) return;
    const vdi_allocator a = s->allocator;
    vdi_free(&a, s, s->bytes);
}

VDI__DEF int64_t vdi_pretrained_stream_delay(const vdi_pretrained_stream *s) { return s->delay; }

VDI__DEF bool vdi_pretrained_stream_push(vdi_pretrained_stream *s, double frame, double *spikes) {
    *spikes = 0;
    vdi__stream_grid(s, vdi__stream_above(s, frame));
    vdi__stream_tell(s);
    const int64_t wanted = s->frames - 1 - s->delay;
    if (wanted < 0 || wanted >= s->results) return false;
    *spikes = s->scale > 0 ? s->result[wanted & (s->queue - 1)] : 0;
    return true;
}
#endif
