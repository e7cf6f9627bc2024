/* model/pretrained/infer.h - the pretrained network over a trace: folded weights, members, frames
 *
 * Declared in pretrained.h. A member's scales and shifts are constants for one trace, so that W_l
 * diag(1 + g) and the bias d are made once. Each end of a segment is held on for VDI__PRE_PAD
 * samples. Long segments are read in windows that overlap by what an output sees, so that memory
 * grows by the trace alone, and layers stay in the cache; an output is the same chain of sums in
 * any window.
 */
#ifndef VDI_MODEL_PRETRAINED_INFER_H
#define VDI_MODEL_PRETRAINED_INFER_H
#include "network.h"

#endif /* VDI_MODEL_PRETRAINED_INFER_H */

#if defined(VDI__BODIES) && defined(VDI_PRETRAINED_IMPLEMENTATION) && \
    !defined(VDI_MODEL_PRETRAINED_INFER_C)
#define VDI_MODEL_PRETRAINED_INFER_C

/* samples of the grid, a multiple of 16: the ends of a segment are held on for so long; steps of a
 * window, of 30 Hz */
enum { VDI__PRE_PAD = 64, VDI__PRE_WINDOW = 4096 };

/* ======== memory ============================================================================== */

/* The arrays of an inference; those of the network are for one segment at a time. */
typedef struct vdi__pretrained_work {
    float *spikes, *clean, *spread; /* (samples): sums over members */
    double *sum;                    /* (samples + 1): expected spikes up to the beginning of each */
    float *x;                       /* (2 steps) */
    float *h, *c, *g;               /* (steps,C) */
    float *head;                    /* (steps,VDI__PRE_OUT) */
    float *w;                       /* the largest layer's folded weights */
    float *z, *film;                /* (stats + hidden), (films,2,C) */
    size_t bytes;
} vdi__pretrained_work;

/* Steps of 30 Hz for so many samples, with both pads: a multiple of VDI__PRE_SLOW. */
VDI__FN int64_t vdi__pretrained_steps(int64_t samples) {
    const int64_t whole = 2 * VDI__PRE_SLOW;
    return (samples + whole - 1) / whole * VDI__PRE_SLOW + VDI__PRE_PAD;
}

/* Steps on either side that an output sees, and those that make windows begin at a step of the
 * branch. */
VDI__FN int64_t vdi__pretrained_reach(const vdi_pretrained_desc *d) {
    int64_t fast = d->stem / 2 + VDI__PRE_HEAD_TAPS / 2;
    int64_t slow = VDI__PRE_DOWN_TAPS / 2 + 1;
    for (int i = 0; i < d->layers; i++)
        fast += (int64_t)(d->width / 2) * d->dilation[i];
    for (int i = 0; i < d->context; i++)
        slow += (int64_t)(VDI__PRE_TAPS / 2) << i;
    return fast + VDI__PRE_SLOW * (slow + 1);
}

/* Steps that are in memory at once. */
VDI__FN int64_t vdi__pretrained_held(const vdi_pretrained_desc *d, int64_t samples) {
    const int64_t most = VDI__PRE_WINDOW + 2 * (vdi__pretrained_reach(d) + VDI__PRE_SLOW);
    return VDI__MIN(vdi__pretrained_steps(samples), most);
}

/* Cut `at` (NULL: only count). */
VDI__FN vdi__pretrained_work vdi__pretrained_cut(const vdi_pretrained *net, int64_t samples,
                                                 char *at) {
    const vdi_pretrained_desc *d = &net->desc;
    const int64_t steps = vdi__pretrained_held(d, samples), C = d->channels;
    const int64_t taps =
        VDI__MAX((int64_t)d->width,
                 (int64_t)VDI__MAX(VDI__PRE_DOWN_TAPS * VDI__PRE_SLOW, (int)VDI__PRE_TAPS));
    vdi__pretrained_work u = VDI__ZERO;
    float **const part[] = {&u.spikes, &u.clean, &u.spread, &u.x, &u.h,   &u.c,
                            &u.g,      &u.head,  &u.w,      &u.z, &u.film};
    const int64_t count[] = {samples,
                             samples,
                             samples,
                             2 * steps,
                             steps * C,
                             steps * C,
                             steps * C,
                             steps * VDI__PRE_OUT,
                             VDI__MAX(2 * (int64_t)d->stem, taps * C) * C,
                             VDI_PRETRAINED_STATS + d->hidden,
                             2 * C * (int64_t)net->at.films};
    u.sum = (double *)(void *)at;
    u.bytes = vdi__align_count(samples + 1, sizeof(double));
    for (size_t i = 0; i < VDI__COUNT(part); i++) {
        *part[i] = at ? (float *)(void *)(at + u.bytes) : NULL;
        u.bytes += vdi__align_count(count[i], sizeof(float));
    }
    return u;
}

VDI__DEF size_t vdi_pretrained_memsize(const vdi_pretrained *net, int64_t frames, double fps) {
    const int64_t samples = vdi_pretrained_grid(frames, fps);
    if (samples < 0) return 0;
    return vdi_pretrained_prepare_memsize(frames, fps) +
           vdi__pretrained_cut(net, samples, NULL).bytes + VDI_ALIGN;
}

/* ======== one member ========================================================================== */

/* Statistic i, standardised by a member and cut at 3. */
VDI__FN float vdi__pretrained_standard(const vdi_param *item, const float *stats, int i) {
    const float z = (stats[i] - ((const float *)item[0].value.data)[i]) /
                    ((const float *)item[1].value.data)[i];
    return z < -3 ? -3 : z > 3 ? 3 : z;
}

/* The weights of a layer with a trace's scale folded in. */
VDI__FN void vdi__fold(int64_t rows, int64_t C, const float *w, const float *gain, float *out) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < C; i++)
            out[r * C + i] = w[r * C + i] * (1 + gain[i]);
    }
}

/* One member over one trace. */
typedef struct vdi__pretrained_run {
    const vdi_pretrained *net;
    const vdi_param *item;
    const vdi_prepared *p;
    vdi__pretrained_work *u;
} vdi__pretrained_run;

VDI__FN const float *vdi__pretrained_data(const vdi__pretrained_run *r, int place) {
    return (const float *)r->item[place].value.data;
}

/* Scales and shifts of all layers. */
VDI__FN void vdi__pretrained_condition(const vdi__pretrained_run *r) {
    const vdi__pretrained_places *at = &r->net->at;
    const size_t H = (size_t)r->net->desc.hidden;
    const size_t F = 2 * (size_t)r->net->desc.channels * (size_t)at->films;
    float *z = r->u->z, *hidden = z + VDI_PRETRAINED_STATS;
    for (int i = 0; i < VDI_PRETRAINED_STATS; i++) {
        z[i] = vdi__pretrained_standard(r->item, r->p->stats, i);
    }
    vdi_affine(VDI_F32, 1, H, VDI_PRETRAINED_STATS, z, VDI_PRETRAINED_STATS,
               vdi__pretrained_data(r, at->film), H, vdi__pretrained_data(r, at->film + 1),
               VDI_ACT_LEAKY_RELU, VDI__PRE_SLOPE, hidden, H);
    vdi_affine(VDI_F32, 1, F, H, hidden, H, vdi__pretrained_data(r, at->film + 2), F,
               vdi__pretrained_data(r, at->film + 3), VDI_ACT_NONE, 0, r->u->film, F);
}

/* y += leaky(W * y (1 + g) + d), a layer with `taps` taps over T steps of C channels; `film`: which
 * scale and shift. */
VDI__FN void vdi__pretrained_layer(const vdi__pretrained_run *r, int place, int film, int64_t T,
                                   int64_t taps, int64_t dilation, float *y) {
    const int64_t C = r->net->desc.channels;
    const float *gain = r->u->film + 2 * C * film;
    vdi_conv1d_shape s = VDI__ZERO;
    s.batch = 1;
    s.t = (size_t)T;
    s.cin = s.cout = (size_t)C;
    s.width = (size_t)taps;
    s.dilation = (size_t)dilation;
    s.pad_left = s.dilation * (s.width - 1) / 2;
    vdi__fold(taps * C, C, vdi__pretrained_data(r, place), gain, r->u->w);
    vdi_conv1d_dilated(VDI_F32, &s, y, r->u->w, gain + C, VDI_ACT_LEAKY_RELU, VDI__PRE_SLOPE,
                       r->u->c);
    vdi_axpby(VDI_F32, (size_t)(T * C), 1, r->u->c, 1, y);
}

/* The branch at 7.5 Hz, added to h (steps,C). */
VDI__FN void vdi__pretrained_branch(const vdi__pretrained_run *r, int64_t steps) {
    const vdi_pretrained_desc *d = &r->net->desc;
    const vdi__pretrained_places *at = &r->net->at;
    const int64_t C = d->channels, slow = steps / VDI__PRE_SLOW;
    const float *gain = r->u->film + 2 * C * (d->layers + 1);
    vdi__fold(VDI__PRE_DOWN_TAPS * VDI__PRE_SLOW * C, C, vdi__pretrained_data(r, at->down), gain,
              r->u->w);
    vdi_conv1d(VDI_F32, 1, (size_t)slow, (size_t)(VDI__PRE_SLOW * C), (size_t)C, VDI__PRE_DOWN_TAPS,
               (VDI__PRE_DOWN_TAPS - 1) / 2, r->u->h, r->u->w, gain + C, VDI_ACT_LEAKY_RELU,
               VDI__PRE_SLOPE, r->u->g);
    for (int i = 0; i < d->context; i++) {
        vdi__pretrained_layer(r, at->context + i, d->layers + 2 + i, slow, VDI__PRE_TAPS, 1 << i,
                              r->u->g);
    }
    vdi_conv1d(VDI_F32, 1, (size_t)slow, (size_t)C, (size_t)(VDI__PRE_SLOW * C), 1, 0, r->u->g,
               vdi__pretrained_data(r, at->up), NULL, VDI_ACT_NONE, 0, r->u->c);
    vdi_axpby(VDI_F32, (size_t)(steps * C), 1, r->u->c, 1, r->u->h);
}

/* The head's outputs of steps [first, end) of a segment, and of some more on both sides, into
 * u->head. Returns the step that stands first there. */
VDI__FN int64_t vdi__pretrained_forward(const vdi__pretrained_run *r, const vdi_prepared_segment *s,
                                        int64_t first, int64_t end) {
    const vdi_pretrained_desc *d = &r->net->desc;
    const vdi__pretrained_places *at = &r->net->at;
    const int64_t C = d->channels, slow = VDI__PRE_SLOW;
    const int64_t reach = vdi__pretrained_reach(d), all = vdi__pretrained_steps(s->samples);
    const int64_t low = VDI__MAX((int64_t)0, first - reach) / slow * slow;
    const int64_t high = VDI__MIN(all, (end + reach + slow - 1) / slow * slow), T = high - low;
    const float *from = r->p->x + s->sample;
    vdi__pretrained_work *u = r->u;
    for (int64_t i = 0; i < 2 * T; i++) {
        const int64_t sample = i + 2 * low - VDI__PRE_PAD;
        u->x[i] = from[VDI__MAX((int64_t)0, VDI__MIN(s->samples - 1, sample))];
    }
    vdi__fold(2 * (int64_t)d->stem, C, vdi__pretrained_data(r, at->stem), u->film, u->w);
    vdi_conv1d(VDI_F32, 1, (size_t)T, 2, (size_t)C, (size_t)d->stem, (size_t)(d->stem - 1) / 2,
               u->x, u->w, u->film + C, VDI_ACT_LEAKY_RELU, VDI__PRE_SLOPE, u->h);
    vdi__pretrained_branch(r, T);
    for (int i = 0; i < d->layers; i++) {
        vdi__pretrained_layer(r, at->layer + i, i + 1, T, d->width, d->dilation[i], u->h);
    }
    vdi_conv1d(VDI_F32, 1, (size_t)T, (size_t)C, VDI__PRE_OUT, VDI__PRE_HEAD_TAPS,
               (VDI__PRE_HEAD_TAPS - 1) / 2, u->h, vdi__pretrained_data(r, at->head),
               vdi__pretrained_data(r, at->head + 1), VDI_ACT_NONE, 0, u->head);
    return low;
}

/* One number of the head's for each of n samples: softplus of it, added to `sum`. */
VDI__FN void vdi__pretrained_softplus(const float *head, int which, int64_t n, float *x,
                                      float *sum) {
    for (int64_t i = 0; i < n; i++)
        x[i] = head[i / 2 * VDI__PRE_OUT + i % 2 + which];
    vdi_softplus(VDI_F32, (size_t)n, x, x);
    vdi_axpby(VDI_F32, (size_t)n, 1, x, 1, sum);
}

/* What a member says of one segment, added to spikes, clean and spread, window by window. */
VDI__FN void vdi__pretrained_add(const vdi__pretrained_run *r, const vdi_prepared_segment *s) {
    const int64_t window = 2 * VDI__PRE_WINDOW, pad = VDI__PRE_PAD / 2;
    vdi__pretrained_work *u = r->u;
    for (int64_t at = 0; at < s->samples; at += window) {
        const int64_t n = VDI__MIN(window, s->samples - at), first = pad + at / 2;
        const int64_t low = vdi__pretrained_forward(r, s, first, first + (n + 1) / 2);
        const float *head = u->head + (first - low) * VDI__PRE_OUT;
        float *clean = u->clean + s->sample + at;
        for (int64_t i = 0; i < n; i++)
            clean[i] += head[i / 2 * VDI__PRE_OUT + i % 2 + 2];
        vdi__pretrained_softplus(head, 0, n, u->x, u->spikes + s->sample + at);
        vdi__pretrained_softplus(head, 4, n, u->x, u->spread + s->sample + at);
    }
}

/* All members over all segments; the arrays of u become means. */
VDI__FN void vdi__pretrained_members(const vdi_pretrained *net, const vdi_prepared *p,
                                     vdi__pretrained_work *u) {
    const size_t n = (size_t)p->samples;
    const int members = net->desc.members;
    const double share = 1.0 / members;
    memset(u->spikes, 0, n * sizeof *u->spikes);
    memset(u->clean, 0, n * sizeof *u->clean);
    memset(u->spread, 0, n * sizeof *u->spread);
    for (int m = 0; p->scale > 0 && m < members; m++) {
        vdi__pretrained_run r;
        r.net = net;
        r.item = net->params->item + m * net->at.count;
        r.p = p;
        r.u = u;
        vdi__pretrained_condition(&r);
        for (int64_t k = 0; k < p->segments; k++) {
            vdi__pretrained_add(&r, &p->segment[k]);
        }
    }
    u->sum[0] = 0;
    for (int64_t i = 0; i < p->samples; i++) {
        u->sum[i + 1] = u->sum[i] + share * (double)u->spikes[i];
        u->clean[i] = (float)(share * (double)u->clean[i]);
        u->spread[i] = (float)(share * (double)u->spread[i]);
    }
}

/* How far the statistics are from those of the cells that the first member was trained on. */
VDI__FN double vdi__pretrained_unusual(const vdi_pretrained *net, const vdi_prepared *p) {
    const float *mean = (const float *)net->params->item[net->at.mean].value.data;
    const float *sd = (const float *)net->params->item[net->at.sd].value.data;
    double sum = 0;
    for (int i = 0; i < VDI_PRETRAINED_STATS; i++) {
        const double z = ((double)p->stats[i] - (double)mean[i]) / (double)sd[i];
        sum += z * z;
    }
    return sqrt(sum / VDI_PRETRAINED_STATS);
}

/* ======== frames ============================================================================== */

/* Linear interpolation of v (n) at x, held at both ends. */
VDI__FN double vdi__pretrained_at(const float *v, int64_t n, double x) {
    x = VDI__MAX(0, VDI__MIN(x, (double)(n - 1)));
    const int64_t i = VDI__MIN((int64_t)x, VDI__MAX(n - 2, (int64_t)0)), j = VDI__MIN(i + 1, n - 1);
    return (double)v[i] + (x - (double)i) * ((double)v[j] - (double)v[i]);
}

/* Expected spikes of a segment up to time x, in samples from the left edge of its first one. */
VDI__FN double vdi__pretrained_until(const vdi__pretrained_work *u, const vdi_prepared_segment *s,
                                     double x) {
    const double *sum = u->sum + s->sample;
    x = VDI__MAX(0, VDI__MIN(x, (double)s->samples));
    const int64_t i = VDI__MIN((int64_t)x, s->samples - 1);
    return sum[i] - sum[0] + (x - (double)i) * (sum[i + 1] - sum[i]);
}

/* A number of spikes: its expectation, and its distribution's spread. */
VDI__FN void vdi__pretrained_store(const vdi_pretrained_result *r, vdi_dtype dtype, int64_t k,
                                   double expected, double spread) {
    if (r->spikes) vdi_dtype_store(dtype, r->spikes, k, expected);
    if (r->deviation) {
        vdi_dtype_store(dtype, r->deviation, k, sqrt(expected + spread * expected * expected));
    }
    if (r->probability) { /* 1 - (1 + a M)^(-1/a) */
        const double none = spread > 1e-6 ? -log1p(spread * expected) / spread : -expected;
        vdi_dtype_store(dtype, r->probability, k, -expm1(none));
    }
}

/* The frames of one segment. `point`: its first one in the arrays of p. */
VDI__FN void vdi__pretrained_frames(const vdi__pretrained_work *u, const vdi_prepared *p,
                                    const vdi_prepared_segment *s, int64_t point, double fps,
                                    vdi_dtype dtype, const vdi_pretrained_result *r) {
    const double per_frame = VDI_PRETRAINED_GRID / fps;
    const bool by_sample = p->rate == VDI_PRETRAINED_GRID && fps != VDI_PRETRAINED_GRID;
    double before = 0;
    for (int64_t k = 0; k < s->frames; k++) {
        const double where = (double)k * per_frame, edge = where + 0.5 * per_frame + 0.5;
        const double to = k + 1 < s->frames ? edge : (double)s->samples;
        const double until = vdi__pretrained_until(u, s, to);
        const double spread = vdi__pretrained_at(u->spread + s->sample, s->samples, where);
        vdi__pretrained_store(r, dtype, s->frame + k, VDI__MAX(0, until - before), spread);
        before = until;
        if (!r->baseline && !r->denoised) continue;
        const float *b = p->baseline + point;
        const double base =
            p->offset + (by_sample ? vdi__pretrained_at(b, s->samples, where) : (double)b[k]);
        if (r->baseline) vdi_dtype_store(dtype, r->baseline, s->frame + k, base);
        if (r->denoised) {
            const double clean = vdi__pretrained_at(u->clean + s->sample, s->samples, where);
            vdi_dtype_store(dtype, r->denoised, s->frame + k, base + p->scale * clean);
        }
    }
}

/* Frames of a long gap: [from, to). What is held comes from the nearest segment. */
VDI__FN void vdi__pretrained_gap(const vdi_pretrained_result *r, vdi_dtype dtype, int64_t from,
                                 int64_t to, int64_t held) {
    const double nothing = r->mark_missing ? HUGE_VAL - HUGE_VAL : 0;
    void *const count[] = {r->spikes, r->deviation, r->probability};
    void *const level[] = {r->denoised, r->baseline};
    for (int64_t k = from; k < to; k++) {
        for (size_t i = 0; i < VDI__COUNT(count); i++) {
            if (count[i]) vdi_dtype_store(dtype, count[i], k, nothing);
        }
        for (size_t i = 0; i < VDI__COUNT(level); i++) {
            if (!level[i]) continue;
            vdi_dtype_store(dtype, level[i], k,
                            r->mark_missing ? nothing : vdi_dtype_load(dtype, level[i], held));
        }
    }
}

/* The grid of the whole trace, whose samples need not be those of a later segment. */
VDI__FN void vdi__pretrained_grid_samples(const vdi__pretrained_work *u, const vdi_prepared *p,
                                          int64_t frames, double fps, vdi_dtype dtype,
                                          const vdi_pretrained_result *r) {
    const int64_t n = vdi_pretrained_grid(frames, fps);
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        double expected = 0, spread = 0;
        while (k + 1 < p->segments &&
               (double)p->segment[k + 1].frame / fps * VDI_PRETRAINED_GRID - 0.5 <= (double)i) {
            k++;
        }
        const vdi_prepared_segment *s = &p->segment[k];
        const double at = (double)i - (double)s->frame / fps * VDI_PRETRAINED_GRID;
        const double end = i + 1 < n ? at + 1 : (double)s->samples;
        if (at + 1 > 0) {
            const double left = i > 0 ? at : 0;
            expected = vdi__pretrained_until(u, s, end) - vdi__pretrained_until(u, s, left);
            spread = vdi__pretrained_at(u->spread + s->sample, s->samples, at);
        }
        if (r->grid) vdi_dtype_store(dtype, r->grid, i, VDI__MAX(0, expected));
        if (r->spread) vdi_dtype_store(dtype, r->spread, i, spread);
    }
}

VDI__FN void vdi__pretrained_tell(const vdi__pretrained_work *u, const vdi_prepared *p,
                                  int64_t frames, double fps, vdi_dtype dtype,
                                  vdi_pretrained_result *r) {
    const bool fast = fps > 1.05 * VDI_PRETRAINED_GRID;
    int64_t point = 0, end = 0;
    r->noise = p->noise;
    r->scale = p->scale;
    r->count = u->sum[p->samples];
    for (int64_t k = 0; k < p->segments; k++) {
        const vdi_prepared_segment *s = &p->segment[k];
        vdi__pretrained_frames(u, p, s, point, fps, dtype, r);
        vdi__pretrained_gap(r, dtype, end, s->frame, k ? end - 1 : s->frame);
        point += fast ? s->samples : s->frames;
        end = s->frame + s->frames;
    }
    vdi__pretrained_gap(r, dtype, end, frames, end - 1);
    if (r->grid || r->spread) vdi__pretrained_grid_samples(u, p, frames, fps, dtype, r);
}

VDI__DEF vdi_status vdi_pretrained_infer(const vdi_pretrained *net, vdi_dtype dtype, int64_t frames,
                                         const void *trace, double fps, void *work, size_t size,
                                         vdi_pretrained_result *r, vdi_error *err) {
    const size_t prepare = vdi_pretrained_prepare_memsize(frames, fps);
    const size_t all = vdi_pretrained_memsize(net, frames, fps);
    vdi_prepared p = VDI__ZERO;
    if (all && size < all) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_pretrained_infer",
                             "%zu bytes of work memory, expected %zu", size, all);
    }
    const vdi_status status =
        vdi_pretrained_prepare(dtype, frames, trace, fps, work, prepare, &p, err);
    if (status < 0) return status;
    char *at = (char *)(((uintptr_t)work + prepare + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    vdi__pretrained_work u = vdi__pretrained_cut(net, vdi_pretrained_grid(frames, fps), at);
    vdi__pretrained_members(net, &p, &u);
    r->unusual = vdi__pretrained_unusual(net, &p);
    vdi__pretrained_tell(&u, &p, frames, fps, dtype, r);
    return VDI_OK;
}
#endif
