/* model/pretrained/pretrained.h - the pretrained network: spikes from any indicator at any frame
 * rate, without a setting
 *
 * Do this:
 *     vdi_pretrained *net;   the weights are in deepspike_weights.h, outside vdi.h
 *     if (vdi_pretrained_create(&vdi_pretrained_shipped, NULL, &net, &err) < 0) puts(err.message);
 *     vdi_pretrained_result r = VDI__ZERO;
 *     r.spikes = spikes;     (frames): expected spikes of each frame
 *     size_t size = vdi_pretrained_memsize(net, frames, 30.0);
 *     void *work = malloc(size);
 *     if (vdi_pretrained_infer(net, VDI_F32, frames, trace, 30.0, work, size, &r, &err) < 0)
 *         puts(err.message);
 *     free(work);
 *     vdi_pretrained_destroy(net);
 *
 * The trace is brought to one form: frames without a number are bridged, a running baseline is
 * taken off, the rest is divided by its standard deviation and brought to 60 Hz. 34 statistics of
 * the whole trace (noise, autocorrelations, asymmetry, quantiles, the mean shape of its steepest
 * rises) say which indicator, preparation and frame rate this is; a small network turns them into a
 * scale and a shift for each channel of each layer, and these are folded into the weights before
 * the trace goes through, so conditioning costs nothing per sample. The network itself is a stem of
 * stride 2, a few dilated convolutions with shortcuts at 30 Hz, and a head with two 60 Hz samples
 * per step: expected spikes, and the trace without its noise. Several such networks (members),
 * trained from different seeds, are one: what they say is averaged. Expected spikes per frame are
 * the integral over the frame.
 *
 * Units: expected spikes per frame k, which covers [k-1/2, k+1/2) / fps; how far the counts can be
 * trusted is measured in docs/results/pretrained.md. The scale of the trace does not matter (dF/F,
 * per cent, counts).
 * What it does NOT do: sample trains (see deepspike_infer.h), work frame by frame (it looks 1.7 s
 * ahead, and at the whole trace for its statistics), or correct neuropil, motion or frames dropped
 * without a NaN.
 * Memory: create allocates; inference runs in the caller's block. Errors: statuses, see each
 * function. Threads: a network that nobody trains may be shared by threads with a work block each.
 */
#ifndef VDI_MODEL_PRETRAINED_PRETRAINED_H
#define VDI_MODEL_PRETRAINED_PRETRAINED_H
#include "../../grad/layers.h"

/** The grid that the network works on, in Hz. */
#define VDI_PRETRAINED_GRID 60
/** Statistics of a trace that the network is conditioned on. */
#define VDI_PRETRAINED_STATS 34
/** Most members of a network. */
#define VDI_PRETRAINED_MEMBERS 4
/** Most parameters of a network, all members together. */
#define VDI_PRETRAINED_PARAMS (VDI_PRETRAINED_MEMBERS * (9 + VDI_LAYERS_MAX))

/** The network's measures. All zero is the default. */
typedef struct vdi_pretrained_desc {
    int32_t channels;                 /**< of every layer; default 32 */
    int32_t stem;                     /**< pairs of 60 Hz samples that the first layer sees, odd;
                                           default 17 */
    int32_t width;                    /**< taps of the other layers, odd; default 7 */
    int32_t layers;                   /**< how many others; default 4 */
    int32_t dilation[VDI_LAYERS_MAX]; /**< of each, in 1/30 s; 0 means 2^layer */
    int32_t hidden;                   /**< units of the conditioning network; default 32 */
    int32_t members;                  /**< networks of these measures whose results are averaged;
                                           default 1 */
} vdi_pretrained_desc;
/** The filled description. */
VDI_API vdi_pretrained_desc vdi_pretrained_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_pretrained_desc_check(const vdi_pretrained_desc *d, vdi_error *err);

/** Weights as they are shipped: the parameters in their order (vdi_pretrained_declare), 8 bits
 * each, with a scale for each index of a
 *  parameter's last axis (an output channel; a bias is its scale). */
typedef struct vdi_pretrained_weights {
    vdi_pretrained_desc desc; /**< of the network that they are for */
    const float *scale;       /**< (last axes of all parameters): value = scale * word */
    const int8_t *word;       /**< (count) */
    int64_t count;            /**< of all words */
} vdi_pretrained_weights;

/** A network: an opaque object made by vdi_pretrained_create. */
typedef struct vdi_pretrained vdi_pretrained;
/** A network with the given weights. VDI_ERR_FORMAT if their number does not fit their
 * description. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_create(const vdi_pretrained_weights *w,
                                                       const vdi_allocator *a, vdi_pretrained **out,
                                                       vdi_error *err);
/** A network to be trained, or to be filled by a loader (vdi_params_state of its parameters):
 * weights drawn from `rng`. `d` NULL is all
 *  defaults. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_create_random(const vdi_pretrained_desc *d,
                                                              const vdi_allocator *a, vdi_rng *rng,
                                                              vdi_pretrained **out, vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_pretrained_destroy(vdi_pretrained *net);
/** Its parameters, live: to train, save or load. */
VDI_API vdi_params *vdi_pretrained_params(vdi_pretrained *net);
/** Its description, filled. */
VDI_API const vdi_pretrained_desc *vdi_pretrained_desc_of(const vdi_pretrained *net);
/** Round the parameters to the shipped form. Returns how many words; `scales` becomes how many
 * scales. Any pointer may be NULL. */
VDI_API int64_t vdi_pretrained_pack(const vdi_pretrained *net, int64_t *scales, float *scale,
                                    int8_t *word);

/** Where results go; any pointer may be NULL. Arrays have the dtype of the trace. */
typedef struct vdi_pretrained_result {
    void *spikes;      /**< (frames): expected spikes */
    void *probability; /**< (frames): of at least one spike, 1 - exp(-expected) */
    void *denoised;    /**< (frames): the trace without its noise, in its own units */
    void *baseline;    /**< (frames): the running baseline that was taken off */
    void *grid;        /**< (vdi_pretrained_grid): expected spikes of each 1/60 s; sample k covers
                            [k-1/2, k+1/2) / 60 s */
    double noise;      /**< out: standard deviation of the white noise, in units of the trace */
    double scale;      /**< out: standard deviation of what is left above the baseline */
    double count;      /**< out: expected spikes of the whole trace */
} vdi_pretrained_result;
/** Samples of the 60 Hz grid for so many frames; at least 1. -1 if frames < 1, fps is not a
 * positive finite number, or the trace is
 *  longer than 10^9 samples. */
VDI_API int64_t vdi_pretrained_grid(int64_t frames, double fps);
/** Bytes that vdi_pretrained_infer needs; 0 where vdi_pretrained_grid is -1. */
VDI_API size_t vdi_pretrained_memsize(const vdi_pretrained *net, int64_t frames, double fps);
/** Infer one trace, F32 or F64. Frames that are not finite are bridged. A trace that is constant
 * (or of one frame) has no spikes.
 *  VDI_ERR_DATA if no frame is finite, VDI_ERR_MEMORY if `size` is too small; results are then
 *  untouched. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_infer(const vdi_pretrained *net, vdi_dtype dtype,
                                                      int64_t frames, const void *trace, double fps,
                                                      void *work, size_t size,
                                                      vdi_pretrained_result *r, vdi_error *err);

/* ---- the parts, for training and fine-tuning ------------------------------------------------- */

/** Its parameters in order, for each member m: m.stats.mean and m.stats.sd (frozen), m.stem.weight,
 * the layers' weights, m.film.0 and
 *  m.film.1 weight and bias, m.head.weight, m.head.bias. Returns how many; writes those that fit
 *  into `list`. */
VDI_API int64_t vdi_pretrained_declare(const vdi_pretrained_desc *d, vdi_param_desc *list,
                                       int64_t room);
/** The network on a tape: x (B,N) prepared traces, N even, stats (B,VDI_PRETRAINED_STATS); returns
 * (B,N), the expected spikes of each
 *  sample. `clean`, unless NULL, becomes (B,N): the prepared trace without noise. */
VDI_API vdi_var vdi_pretrained_apply(vdi_tape *t, const vdi_pretrained_desc *d,
                                     const vdi_param *first, vdi_var x, vdi_var stats,
                                     vdi_var *clean);
/** A trace in the form that the network reads. */
typedef struct vdi_prepared {
    int64_t samples;                   /**< of the 60 Hz grid */
    float *x;                          /**< (samples) */
    float *baseline;                   /**< (frames), in units of the trace */
    float *filled;                     /**< (frames): the trace with its gaps bridged */
    double scale, noise;               /**< x = (trace - baseline) / scale; standard deviation of
                                            the white noise */
    float stats[VDI_PRETRAINED_STATS]; /**< not yet standardised */
} vdi_prepared;
/** Bytes for vdi_pretrained_prepare: the arrays of the result live there. */
VDI_API size_t vdi_pretrained_prepare_memsize(int64_t frames, double fps);
/** Steps 1 to 5: bridge, baseline, scale, 60 Hz, statistics. A constant trace has scale 0 and
 * x = 0. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_prepare(vdi_dtype dtype, int64_t frames,
                                                        const void *trace, double fps, void *work,
                                                        size_t size, vdi_prepared *out,
                                                        vdi_error *err);
/** `frames` values at fps to the 60 Hz grid: interpolated up to 63 Hz, else averaged. `sum` is
 * scratch (frames + 1), used above 63 Hz. */
VDI_API void vdi_pretrained_to_grid(int64_t frames, const float *y, double fps, double *sum,
                                    int64_t samples, float *x);

#endif /* VDI_MODEL_PRETRAINED_PRETRAINED_H */

#if defined(VDI__BODIES) && defined(VDI_PRETRAINED_IMPLEMENTATION) && \
    !defined(VDI_MODEL_PRETRAINED_PRETRAINED_C)
#define VDI_MODEL_PRETRAINED_PRETRAINED_C

#define VDI__PRE_PAD 64 /* samples of the grid, even: the ends of a trace are held on for so long */
#define VDI__PRE_SLOPE 0.1

/* ======== preparation ========================================================================= */

/* The k-th smallest of x, which is left partly sorted (Hoare's find): x[k] is it, smaller ones
 * stand before, larger ones behind. */
VDI__FN float vdi__select(float *x, int64_t n, int64_t k) {
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const float pivot = x[k];
        int64_t i = low, j = high;
        do {
            while (x[i] < pivot)
                i++;
            while (pivot < x[j])
                j--;
            if (i <= j) {
                const float swap = x[i];
                x[i++] = x[j];
                x[j--] = swap;
            }
        } while (i <= j);
        if (j < k) low = i;
        if (k < i) high = j;
    }
    return x[k];
}

/* The q-quantile with linear interpolation between order statistics, as NumPy's default. */
VDI__FN double vdi__quantile(float *x, int64_t n, double q) {
    const double at = q * (double)(n - 1);
    const int64_t k = (int64_t)at;
    const double low = (double)vdi__select(x, n, k);
    if (k + 1 >= n) return low;
    float next = x[k + 1];
    for (int64_t i = k + 2; i < n; i++)
        next = x[i] < next ? x[i] : next;
    return low + (at - (double)k) * ((double)next - low);
}

/* The running baseline: medians of blocks of half a second, their 20th percentile within 15 s on
   either side, a moving average of five, and straight lines between the middles of the blocks. b
   (frames); s: scratch (frames + 96). */
VDI__FN void vdi__baseline(int64_t n, const float *y, double fps, float *b, float *s) {
    const int64_t width = VDI__MIN(n, VDI__MAX((int64_t)1, (int64_t)nearbyint(0.5 * fps)));
    const int64_t blocks = n / width;
    /* the medians lie at the front of b until they are spread out; there are never more than
     * frames */
    float *median = b, window[64];
    for (int64_t i = 0; i < blocks; i++) {
        memcpy(s, y + i * width, (size_t)width * sizeof *s);
        median[i] = (float)vdi__quantile(s, width, 0.5);
    }
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t from = VDI__MAX((int64_t)0, i - 30), to = VDI__MIN(blocks, i + 31);
        memcpy(window, median + from, (size_t)(to - from) * sizeof *window);
        s[i] = (float)vdi__quantile(window, to - from, 0.2);
    }
    for (int64_t i = 0; i < blocks; i++) {
        double sum = 0;
        for (int64_t j = -2; j <= 2; j++)
            sum += (double)s[VDI__MAX((int64_t)0, VDI__MIN(blocks - 1, i + j))];
        median[i] = blocks > 5 ? (float)(sum / 5) : s[i];
    }
    memcpy(s, median, (size_t)blocks * sizeof *s);
    for (int64_t i = 0; i < n; i++) {
        const double at = ((double)i - 0.5 * (double)(width - 1)) / (double)width;
        const int64_t k = VDI__MAX((int64_t)0, VDI__MIN(blocks - 2, (int64_t)floor(at)));
        const double u = VDI__MAX(0, VDI__MIN(1, at - (double)k));
        b[i] = blocks < 2 ? s[0] : (float)((double)s[k] + u * ((double)s[k + 1] - (double)s[k]));
    }
}

VDI__DEF int64_t vdi_pretrained_grid(int64_t frames, double fps) {
    if (frames < 1 || !(fps > 0) || !(fps < 1e9)) return -1;
    const double samples = floor((double)(frames - 1) / fps * VDI_PRETRAINED_GRID + 1e-9) + 1;
    return samples <= 1e9 && frames <= 1000000000 ? (int64_t)samples : -1;
}

VDI__DEF void vdi_pretrained_to_grid(int64_t frames, const float *y, double fps, double *sum,
                                     int64_t samples, float *x) {
    if (fps <= 1.05 * VDI_PRETRAINED_GRID) {
        for (int64_t i = 0; i < samples; i++) {
            const double at = (double)i * fps / VDI_PRETRAINED_GRID;
            const int64_t k = VDI__MAX((int64_t)0, VDI__MIN((int64_t)at, frames - 2));
            x[i] = frames < 2 ? y[0]
                              : (float)((double)y[k] + VDI__MIN(1, at - (double)k) *
                                                           ((double)y[k + 1] - (double)y[k]));
        }
        return;
    }
    sum[0] = 0; /* the running integral; frame k covers [k, k+1) of its axis */
    for (int64_t k = 0; k < frames; k++)
        sum[k + 1] = sum[k] + (double)y[k];
    double from = 0, integral = 0;
    for (int64_t i = 0; i < samples; i++) {
        double to = ((double)i + 0.5) * fps / VDI_PRETRAINED_GRID + 0.5;
        to = VDI__MIN(to, (double)frames);
        const int64_t k = VDI__MIN((int64_t)to, frames - 1);
        const double until = sum[k] + (to - (double)k) * (double)y[k];
        if (i == 0) {
            /* half a sample, from half a sample before frame 0 on, as far as there is a frame */
            from = VDI__MAX(0, 0.5 - 0.5 * fps / VDI_PRETRAINED_GRID);
            integral = from * (double)y[0];
        }
        x[i] = (float)((until - integral) / VDI__MAX(to - from, 1e-9));
        from = to;
        integral = until;
    }
}

VDI__FN double vdi__cube_root(double x) { return x < 0 ? -pow(-x, 1.0 / 3) : pow(x, 1.0 / 3); }

/* The statistics. v: scratch (n + 256). Lags that the trace is too short for are cut to its
 * length. */
VDI__FN void vdi__trace_stats(int64_t n, const float *x, double fps, double noise, float *v,
                              float *out) {
    static const int lag[] = {2, 4, 8, 16, 32, 64, 128};
    static const int jump[] = {4, 16, 64};
    static const int around[] = {-12, -6, -2, -1, 0, 1, 2, 4, 8, 16, 32, 64};
    static const double level[] = {0.01, 0.1, 0.5, 0.9, 0.99};
    double mean = 0, square = 0, cube = 0;
    for (int64_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double sd = sqrt(square / (double)n) + 1e-9;
    for (int64_t i = 0; i < n; i++) {
        const double z = ((double)x[i] - mean) / sd;
        v[i] = (float)z;
        cube += z * z * z;
    }
    *out++ = (float)log(fps / 30);
    *out++ = (float)log(noise + 1e-3);
    for (size_t j = 0; j < VDI__COUNT(lag); j++) {
        const int64_t d = VDI__MIN((int64_t)lag[j], n - 1);
        *out++ = (float)(vdi_dot(VDI_F32, (size_t)(n - d), v, v + d) / (double)(n - d));
    }
    *out++ = (float)VDI__MAX(-5, VDI__MIN(15, cube / (double)n));
    for (size_t j = 0; j < VDI__COUNT(jump); j++) {
        const int64_t d = VDI__MIN((int64_t)jump[j], n - 1), m = n - d;
        double m1 = 0, m2 = 0, m3 = 0;
        for (int64_t i = 0; i < m; i++)
            m1 += (double)v[i + d] - (double)v[i];
        m1 /= (double)m;
        for (int64_t i = 0; i < m; i++) {
            const double e = (double)v[i + d] - (double)v[i], c = e - m1;
            m2 += c * c;
            m3 += e * e * e;
        }
        const double s = sqrt(m2 / (double)m) + 1e-9;
        *out++ = (float)vdi__cube_root(m3 / (double)m / (s * s * s));
        *out++ = (float)log(s);
    }
    /* the mean shape around rises, weighted by the cube of the rise over 0.1 s: the steepest ones
     * decide */
    double weight = 0, rise = 0, shape[VDI__COUNT(around)] = {0};
    for (int64_t i = 3; i + 3 < n; i++) {
        const double d = (double)v[i + 3] - (double)v[i - 3], w = d > 0 ? d * d * d : 0;
        if (!(w > 0)) continue;
        weight += w;
        rise += w * d;
        for (size_t j = 0; j < VDI__COUNT(around); j++) {
            const int64_t at = VDI__MAX((int64_t)0, VDI__MIN(n - 1, i + around[j]));
            shape[j] += w * ((double)v[at] - (double)v[i - 3]);
        }
    }
    *out++ = (float)log(weight > 0 ? rise / weight + 1e-3 : 1e-3);
    for (size_t j = 0; j < VDI__COUNT(around); j++)
        *out++ = (float)(rise > 0 ? VDI__MAX(-5, VDI__MIN(5, shape[j] / rise)) : 0);
    memcpy(v, x, (size_t)n * sizeof *v);
    for (size_t j = 0; j < VDI__COUNT(level); j++)
        *out++ = (float)vdi__quantile(v, n, level[j]);
}

VDI__FN size_t vdi__align_count(int64_t n, size_t size) { return vdi_align_size((size_t)n * size); }

VDI__DEF size_t vdi_pretrained_prepare_memsize(int64_t frames, double fps) {
    const int64_t samples = vdi_pretrained_grid(frames, fps), most = VDI__MAX(frames, samples);
    if (samples < 0) return 0;
    return 2 * vdi__align_count(frames, sizeof(float)) + vdi__align_count(samples, sizeof(float)) +
           vdi__align_count(most + 256, sizeof(float)) +
           vdi__align_count(frames + 1, sizeof(double)) + VDI_ALIGN;
}

VDI__DEF vdi_status vdi_pretrained_prepare(vdi_dtype dtype, int64_t frames, const void *trace,
                                           double fps, void *work, size_t size, vdi_prepared *out,
                                           vdi_error *err) {
    static const char where[] = "vdi_pretrained_prepare";
    const int64_t samples = vdi_pretrained_grid(frames, fps);
    if (samples < 0) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, where,
            "%lld frames at %g Hz: expected at least one frame, a rate above 0, and at most "
            "10^9 samples at 60 Hz",
            (long long)frames, fps);
    }
    if (!vdi_dtype_is_real(dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where,
                             "the trace is %s, expected float32 or float64", vdi_dtype_name(dtype));
    }
    if (size < vdi_pretrained_prepare_memsize(frames, fps)) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "%zu bytes of work memory, expected %zu",
                             size, vdi_pretrained_prepare_memsize(frames, fps));
    }
    char *at = (char *)(((uintptr_t)work + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    out->samples = samples;
    out->filled = (float *)(void *)at;
    at += vdi__align_count(frames, sizeof(float));
    out->baseline = (float *)(void *)at;
    at += vdi__align_count(frames, sizeof(float));
    out->x = (float *)(void *)at;
    at += vdi__align_count(samples, sizeof(float));
    float *s = (float *)(void *)at;
    at += vdi__align_count(VDI__MAX(frames, samples) + 256, sizeof(float));
    double *sum = (double *)(void *)at;
    float *y = out->filled;

    /* bridge: straight lines over gaps, the nearest number before the first and after the last */
    int64_t last = -1;
    for (int64_t i = 0; i < frames; i++) {
        const double value = vdi_dtype_load(dtype, trace, i);
        if (!(value - value == 0) || !(fabs(value) < 1e30)) continue;
        y[i] = (float)value;
        for (int64_t k = last + 1; k < i; k++) {
            y[k] = last < 0 ? y[i]
                            : (float)((double)y[last] + (double)(k - last) / (double)(i - last) *
                                                            ((double)y[i] - (double)y[last]));
        }
        last = i;
    }
    if (last < 0) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "none of the trace's %lld frames is a finite number",
                             (long long)frames);
    }
    for (int64_t k = last + 1; k < frames; k++)
        y[k] = y[last];

    for (int64_t i = 0; i + 1 < frames; i++)
        s[i] = fabsf(y[i + 1] - y[i]);
    out->noise = frames > 1 ? 1.4826 / sqrt(2.0) * vdi__quantile(s, frames - 1, 0.5) : 0;
    vdi__baseline(frames, y, fps, out->baseline, s);
    double mean = 0, square = 0, large = 0;
    for (int64_t i = 0; i < frames; i++) {
        mean += (double)y[i] - (double)out->baseline[i];
        large = VDI__MAX(large, fabs((double)y[i]));
    }
    mean /= (double)frames;
    for (int64_t i = 0; i < frames; i++) {
        const double d = (double)y[i] - (double)out->baseline[i] - mean;
        square += d * d;
    }
    out->scale = sqrt(square / (double)frames);
    if (!(out->scale > 1e-6 * large)) out->scale = 0; /* what is left is rounding */
    for (int64_t i = 0; i < frames; i++)
        s[i] = out->scale > 0 ? (float)(((double)y[i] - (double)out->baseline[i]) / out->scale) : 0;
    vdi_pretrained_to_grid(frames, s, fps, sum, samples, out->x);
    vdi__trace_stats(samples, out->x, fps, out->scale > 0 ? out->noise / out->scale : 0, s,
                     out->stats);
    return VDI_OK;
}

/* ======== the network ========================================================================= */

VDI__DEF vdi_pretrained_desc vdi_pretrained_desc_defaults(void) {
    vdi_pretrained_desc d = VDI__ZERO;
    d.channels = 32;
    d.stem = 17;
    d.width = 7;
    d.layers = 4;
    d.hidden = 32;
    d.members = 1;
    for (int i = 0; i < 4; i++)
        d.dilation[i] = 1 << i;
    return d;
}

VDI__FN vdi_pretrained_desc vdi__pretrained_filled(const vdi_pretrained_desc *desc) {
    const vdi_pretrained_desc d = vdi_pretrained_desc_defaults();
    vdi_pretrained_desc r = desc ? *desc : d;
    if (!r.channels) r.channels = d.channels;
    if (!r.stem) r.stem = d.stem;
    if (!r.width) r.width = d.width;
    if (!r.layers) r.layers = d.layers;
    if (!r.hidden) r.hidden = d.hidden;
    if (!r.members) r.members = d.members;
    for (int i = 0; i < VDI_LAYERS_MAX; i++)
        r.dilation[i] = i >= r.layers ? 0 : r.dilation[i] ? r.dilation[i] : 1 << i;
    return r;
}

VDI__DEF vdi_status vdi_pretrained_desc_check(const vdi_pretrained_desc *desc, vdi_error *err) {
    const vdi_pretrained_desc d = vdi__pretrained_filled(desc);
    const char *field = NULL;
    int32_t value = 0;
    if (d.channels < 1 || d.channels > 1024) {
        field = "channels";
        value = d.channels;
    } else if (d.stem < 1 || d.stem > 255 || d.stem % 2 == 0) {
        field = "stem";
        value = d.stem;
    } else if (d.width < 1 || d.width > 255 || d.width % 2 == 0) {
        field = "width";
        value = d.width;
    } else if (d.layers < 1 || d.layers > VDI_LAYERS_MAX) {
        field = "layers";
        value = d.layers;
    } else if (d.hidden < 1 || d.hidden > 1024) {
        field = "hidden";
        value = d.hidden;
    } else if (d.members < 1 || d.members > VDI_PRETRAINED_MEMBERS) {
        field = "members";
        value = d.members;
    }
    for (int i = 0; !field && i < d.layers; i++) {
        if (d.dilation[i] < 1 || d.dilation[i] > 1024) {
            field = "dilation";
            value = d.dilation[i];
        }
    }
    return field ? vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_pretrained_desc",
                                 "%s is %d: out of range", field, (int)value)
                 : VDI_OK;
}

/* where a member's parameters stand */
enum { VDI__PRE_MEAN, VDI__PRE_SD, VDI__PRE_STEM, VDI__PRE_LAYER };
#define VDI__PRE_FILM(d) (VDI__PRE_LAYER + (d)->layers)
#define VDI__PRE_HEAD(d) (VDI__PRE_FILM(d) + 4)
#define VDI__PRE_EACH(d) (VDI__PRE_HEAD(d) + 2)

VDI__DEF int64_t vdi_pretrained_declare(const vdi_pretrained_desc *desc, vdi_param_desc *list,
                                        int64_t room) {
    const vdi_pretrained_desc d = vdi__pretrained_filled(desc);
    const int S = VDI_PRETRAINED_STATS, C = d.channels, F = 2 * C * (d.layers + 1);
    int64_t n = 0;
    char name[VDI_PARAM_NAME], layer[32];
#define VDI__PRE_ADD(make, what, ...)                               \
    do {                                                            \
        (void)vdi_text_format(name, sizeof name, "%d.%s", m, what); \
        if (n < room) list[n] = make(name, __VA_ARGS__);            \
        n++;                                                        \
    } while (0)
    for (int m = 0; m < d.members; m++) {
        VDI__PRE_ADD(vdi_param_1d, "stats.mean", VDI_INIT_ZEROS, 0, S);
        VDI__PRE_ADD(vdi_param_1d, "stats.sd", VDI_INIT_CONSTANT, 1, S);
        for (int64_t i = n - 2; i < n && i < room; i++)
            list[i].frozen = true;
        VDI__PRE_ADD(vdi_param_3d, "stem.weight", VDI_INIT_FAN_IN, 1, d.stem, 2, C);
        for (int i = 0; i < d.layers; i++) {
            (void)vdi_text_format(layer, sizeof layer, "layer.%d.weight", i);
            VDI__PRE_ADD(vdi_param_3d, layer, VDI_INIT_FAN_IN, 1, d.width, C, C);
        }
        VDI__PRE_ADD(vdi_param_2d, "film.0.weight", VDI_INIT_FAN_IN, 1, S, d.hidden);
        VDI__PRE_ADD(vdi_param_1d, "film.0.bias", VDI_INIT_ZEROS, 0, d.hidden);
        VDI__PRE_ADD(vdi_param_2d, "film.1.weight", VDI_INIT_FAN_IN, 0.3, d.hidden, F);
        VDI__PRE_ADD(vdi_param_1d, "film.1.bias", VDI_INIT_ZEROS, 0, F);
        VDI__PRE_ADD(vdi_param_3d, "head.weight", VDI_INIT_FAN_IN, 0.3, 3, C, 4);
        VDI__PRE_ADD(vdi_param_1d, "head.bias", VDI_INIT_ZEROS, 0, 4);
    }
#undef VDI__PRE_ADD
    return n;
}

/* y = x + leaky(h (1 + g) + s), with g and s (channels) of this layer and trace out of film (B,
   layers + 1, 2, C); without x for the stem.
   One pass forward, one backward: as separate operations it would take longer than the
   convolutions. */
VDI__FN vdi_status vdi__film_forward(vdi_custom *c, void *user, vdi_error *err) {
    (void)err;
    const int64_t B = c->in[0].shape[0];
    const int64_t T = c->in[0].shape[1];
    const int64_t C = c->in[0].shape[2];
    const int64_t layer = (int64_t)(intptr_t)user;
    const int64_t stride = c->in[1].shape[1];
    const vdi_dtype dtype = c->in[0].dtype;
    for (int64_t b = 0; b < B; b++) {
        VDI__BOTH(dtype, {
            const real *h = (const real *)c->in[0].data + b * T * C;
            const real *g = (const real *)c->in[1].data + b * stride + layer * 2 * C;
            const real *s = g + C;
            const real *x = c->inputs > 2 ? (const real *)c->in[2].data + b * T * C : NULL;
            real *y = (real *)c->out[0].data + b * T * C;
            for (int64_t t = 0; t < T; t++, h += C, y += C) {
                for (int64_t i = 0; i < C; i++) {
                    const real z = h[i] * (1 + g[i]) + s[i];
                    y[i] = z > 0 ? z : (real)VDI__PRE_SLOPE * z;
                }
                if (!x) continue;
                for (int64_t i = 0; i < C; i++)
                    y[i] += x[i];
                x += C;
            }
        });
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__film_backward(vdi_custom *c, void *user, vdi_error *err) {
    (void)err;
    const int64_t B = c->in[0].shape[0];
    const int64_t T = c->in[0].shape[1];
    const int64_t C = c->in[0].shape[2];
    const int64_t layer = (int64_t)(intptr_t)user;
    const int64_t stride = c->in[1].shape[1];
    const vdi_dtype dtype = c->in[0].dtype;
    const bool dh_wanted = vdi_tensor_ok(c->din[0]);
    const bool film_wanted = vdi_tensor_ok(c->din[1]);
    const bool dx_wanted = c->inputs > 2 && vdi_tensor_ok(c->din[2]);
    void *scratch = vdi_tape_scratch(c->tape, 3 * (size_t)C * vdi_dtype_size(dtype));
    if (!scratch) return VDI_ERR_MEMORY;
    if (!vdi_tensor_ok(c->dout[0])) return VDI_OK;
    for (int64_t b = 0; b < B; b++) {
        VDI__BOTH(dtype, {
            const real *h = (const real *)c->in[0].data + b * T * C;
            const real *g = (const real *)c->in[1].data + b * stride + layer * 2 * C;
            const real *s = g + C;
            const real *dy = (const real *)c->dout[0].data + b * T * C;
            real *dh = dh_wanted ? (real *)c->din[0].data + b * T * C : NULL;
            real *dx = dx_wanted ? (real *)c->din[2].data + b * T * C : NULL;
            real *dg = (real *)scratch, *ds = dg + C, *dz = ds + C;
            memset(dg, 0, 2 * (size_t)C * sizeof(real));
            for (int64_t t = 0; t < T; t++, h += C, dy += C) {
                for (int64_t i = 0; i < C; i++) {
                    const real z = h[i] * (1 + g[i]) + s[i];
                    dz[i] = z > 0 ? dy[i] : (real)VDI__PRE_SLOPE * dy[i];
                }
                for (int64_t i = 0; i < C; i++)
                    dg[i] += dz[i] * h[i];
                for (int64_t i = 0; i < C; i++)
                    ds[i] += dz[i];
                if (dh) {
                    for (int64_t i = 0; i < C; i++)
                        dh[i] += dz[i] * (1 + g[i]);
                    dh += C;
                }
                if (dx) {
                    for (int64_t i = 0; i < C; i++)
                        dx[i] += dy[i];
                    dx += C;
                }
            }
            if (film_wanted) {
                real *df = (real *)c->din[1].data + b * stride + layer * 2 * C;
                for (int64_t i = 0; i < 2 * C; i++)
                    df[i] += dg[i];
            }
        });
    }
    return VDI_OK;
}

VDI__FN vdi_var vdi__film_apply(vdi_tape *t, vdi_var h, vdi_var film, vdi_var x, int layer) {
    vdi_var in[3], y = vdi_var_none();
    vdi_tensor out = vdi_tape_value(t, h);
    vdi_custom_desc d = VDI__ZERO;
    if (!vdi_var_ok(h) || !vdi_var_ok(film)) return y;
    out.data = NULL;
    in[0] = h;
    in[1] = film;
    in[2] = x;
    d.name = "film";
    d.inputs = vdi_var_ok(x) ? 3 : 2;
    d.outputs = 1;
    d.input = in;
    d.output = &out;
    d.scratch_bytes = 3 * (size_t)out.shape[2] * vdi_dtype_size(out.dtype);
    d.forward = vdi__film_forward;
    d.backward = vdi__film_backward;
    d.user = (void *)(intptr_t)layer;
    (void)vdi_var_custom(t, &d, &y);
    return y;
}

VDI__DEF vdi_var vdi_pretrained_apply(vdi_tape *t, const vdi_pretrained_desc *desc,
                                      const vdi_param *first, vdi_var x, vdi_var stats,
                                      vdi_var *clean) {
    const vdi_pretrained_desc d = vdi__pretrained_filled(desc);
    const int64_t B = vdi_var_dim(t, x, 0);
    const int64_t N = vdi_var_dim(t, x, 1);
    const int64_t pair[3] = {B, N / 2, 2};
    const int64_t flat[2] = {B, N};
    const vdi_var none = vdi_var_none();
    vdi_var spikes = none;
    if (clean) *clean = none;
    if (vdi_var_ok(x) && (vdi_var_ndim(t, x) != 2 || N % 2)) {
        return vdi_tape_fail(t, VDI_ERR_SHAPE, "vdi_pretrained_apply",
                             "x has %d axes and %lld samples, expected (traces, an even number)",
                             vdi_var_ndim(t, x), (long long)N);
    }
    for (int m = 0; m < d.members; m++, first += VDI__PRE_EACH(&d)) {
        const vdi_param *film_param = first + VDI__PRE_FILM(&d), *head = first + VDI__PRE_HEAD(&d);
        vdi_var z = vdi_var_div(t, vdi_var_sub(t, stats, vdi_tape_param(t, first + VDI__PRE_MEAN)),
                                vdi_tape_param(t, first + VDI__PRE_SD));
        vdi_var film =
            vdi_var_affine(t, vdi_var_clip(t, z, -3, 3), vdi_tape_param(t, film_param),
                           vdi_tape_param(t, film_param + 1), VDI_ACT_LEAKY_RELU, VDI__PRE_SLOPE);
        film = vdi_var_affine(t, film, vdi_tape_param(t, film_param + 2),
                              vdi_tape_param(t, film_param + 3), VDI_ACT_NONE, 0);
        vdi_var h =
            vdi_var_conv1d(t, vdi_var_reshape(t, x, 3, pair),
                           vdi_tape_param(t, first + VDI__PRE_STEM), none, -1, VDI_ACT_NONE, 0);
        h = vdi__film_apply(t, h, film, none, 0);
        for (int i = 0; i < d.layers; i++) {
            vdi_var c = vdi_var_conv1d_dilated(t, h, vdi_tape_param(t, first + VDI__PRE_LAYER + i),
                                               none, d.dilation[i], -1, VDI_ACT_NONE, 0);
            h = vdi__film_apply(t, c, film, h, i + 1);
        }
        h = vdi_var_conv1d(t, h, vdi_tape_param(t, head), vdi_tape_param(t, head + 1), -1,
                           VDI_ACT_NONE, 0);
        vdi_var own =
            vdi_var_softplus(t, vdi_var_reshape(t, vdi_var_slice(t, h, 2, 0, 1, 2), 2, flat));
        spikes = m ? vdi_var_add(t, spikes, own) : own;
        if (!clean) continue;
        own = vdi_var_reshape(t, vdi_var_slice(t, h, 2, 2, 1, 2), 2, flat);
        *clean = m ? vdi_var_add(t, *clean, own) : own;
    }
    if (d.members > 1 && clean) *clean = vdi_var_mul_scalar(t, *clean, 1.0 / d.members);
    return d.members > 1 ? vdi_var_mul_scalar(t, spikes, 1.0 / d.members) : spikes;
}

struct vdi_pretrained {
    vdi_pretrained_desc desc;
    vdi_params *params;
    vdi_allocator allocator;
};

VDI__DEF vdi_status vdi_pretrained_create_random(const vdi_pretrained_desc *desc,
                                                 const vdi_allocator *a, vdi_rng *rng,
                                                 vdi_pretrained **out, vdi_error *err) {
    vdi_param_desc list[VDI_PRETRAINED_PARAMS];
    vdi_rng plain = vdi_rng_make(0, 0);
    *out = NULL;
    vdi_status status = vdi_pretrained_desc_check(desc, err);
    if (status < 0) return status;
    vdi_pretrained *net = (vdi_pretrained *)vdi_alloc(a, sizeof *net);
    if (!net) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_pretrained_create",
                             "no memory for a network");
    }
    memset(net, 0, sizeof *net);
    net->allocator = vdi_allocator_defaults(a);
    net->desc = vdi__pretrained_filled(desc);
    const int64_t count = vdi_pretrained_declare(&net->desc, list, VDI_PRETRAINED_PARAMS);
    status = vdi_params_create(list, count, VDI_F32, a, rng ? rng : &plain, &net->params, err);
    if (status < 0) {
        vdi_pretrained_destroy(net);
        return status;
    }
    for (int m = 0; m < net->desc.members; m++) {
        float *bias =
            (float *)net->params->item[(m + 1) * VDI__PRE_EACH(&net->desc) - 1].value.data;
        bias[0] = bias[1] = -3; /* few spikes to begin with */
    }
    *out = net;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_pretrained_create(const vdi_pretrained_weights *w, const vdi_allocator *a,
                                          vdi_pretrained **out, vdi_error *err) {
    vdi_pretrained *net;
    *out = NULL;
    vdi_status status = vdi_pretrained_create_random(&w->desc, a, NULL, &net, err);
    if (status < 0) return status;
    const int64_t expected = vdi_pretrained_pack(net, NULL, NULL, NULL);
    if (w->count != expected) {
        vdi_pretrained_destroy(net);
        return vdi_error_set(err, VDI_ERR_FORMAT, "vdi_pretrained_create",
                             "%lld weights, expected %lld for their description",
                             (long long)w->count, (long long)expected);
    }
    const float *scale = w->scale;
    const int8_t *word = w->word;
    for (int64_t i = 0; i < net->params->count; i++) {
        const vdi_tensor v = net->params->item[i].value;
        const int64_t last = v.shape[v.ndim - 1], n = vdi_tensor_count(v);
        for (int64_t k = 0; k < n; k++)
            ((float *)v.data)[k] = scale[k % last] * (float)*word++;
        scale += last;
    }
    *out = net;
    return VDI_OK;
}

VDI__DEF void vdi_pretrained_destroy(vdi_pretrained *net) {
    if (!net) return;
    const vdi_allocator a = net->allocator;
    vdi_params_destroy(net->params);
    vdi_free(&a, net, sizeof *net);
}

VDI__DEF vdi_params *vdi_pretrained_params(vdi_pretrained *net) { return net->params; }
VDI__DEF const vdi_pretrained_desc *vdi_pretrained_desc_of(const vdi_pretrained *net) {
    return &net->desc;
}

VDI__DEF int64_t vdi_pretrained_pack(const vdi_pretrained *net, int64_t *scales, float *scale,
                                     int8_t *word) {
    int64_t count = 0, channels = 0;
    for (int64_t i = 0; i < net->params->count; i++) {
        const float *v = (const float *)net->params->item[i].value.data;
        const int64_t n = vdi_tensor_count(net->params->item[i].value);
        const int64_t last = net->params->item[i].value.shape[net->params->item[i].value.ndim - 1];
        for (int64_t c = 0; c < last; c++) {
            float most = 0;
            for (int64_t k = c; k < n; k += last)
                most = VDI__MAX(most, fabsf(v[k]));
            const float step = most > 0 ? most / 127 : 1;
            if (scale) scale[channels + c] = step;
            for (int64_t k = c; word && k < n; k += last)
                word[count + k] = (int8_t)nearbyintf(v[k] / step);
        }
        count += n;
        channels += last;
    }
    if (scales) *scales = channels;
    return count;
}

/* ======== inference =========================================================================== */

VDI__FN size_t vdi__pretrained_net_bytes(const vdi_pretrained_desc *d, int64_t samples) {
    const int64_t steps = (samples + 1) / 2 + VDI__PRE_PAD;
    const int64_t C = d->channels;
    const int64_t F = 2 * C * (d->layers + 1);
    const int64_t weights = VDI__MAX((int64_t)d->stem * 2 * C, (int64_t)d->width * C * C);
    return vdi__align_count(2 * steps, sizeof(float)) +
           2 * vdi__align_count(steps * C, sizeof(float)) +
           vdi__align_count(4 * steps, sizeof(float)) + vdi__align_count(weights, sizeof(float)) +
           vdi__align_count(VDI_PRETRAINED_STATS + d->hidden + F, sizeof(float)) +
           vdi__align_count(samples + 1, sizeof(double)) +
           2 * vdi__align_count(samples, sizeof(float)) + VDI_ALIGN;
}

VDI__DEF size_t vdi_pretrained_memsize(const vdi_pretrained *net, int64_t frames, double fps) {
    const int64_t samples = vdi_pretrained_grid(frames, fps);
    return samples < 0 ? 0
                       : vdi_pretrained_prepare_memsize(frames, fps) +
                             vdi__pretrained_net_bytes(&net->desc, samples);
}

/* Statistic i, standardised by a member and cut at 3. */
VDI__FN float vdi__pretrained_standard(const vdi_param *item, const float *stats, int i) {
    const float z = (stats[i] - ((const float *)item[VDI__PRE_MEAN].value.data)[i]) /
                    ((const float *)item[VDI__PRE_SD].value.data)[i];
    return z < -3 ? -3 : z > 3 ? 3 : z;
}

/* The weights of a layer with a trace's scale folded in. */
VDI__FN void vdi__fold(int64_t rows, int64_t C, const float *w, const float *gain, float *out) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < C; i++)
            out[r * C + i] = w[r * C + i] * (1 + gain[i]);
    }
}

/* A member over a prepared trace: what it says is added to spikes (samples) and clean (samples).
 * `at` is memory for the rest. */
VDI__FN void vdi__pretrained_add(const vdi_pretrained_desc *d, const vdi_param *item,
                                 const vdi_prepared *p, char *at, float *spikes, float *clean) {
    const vdi_param *film_param = item + VDI__PRE_FILM(d), *head = item + VDI__PRE_HEAD(d);
    const int64_t steps = (p->samples + 1) / 2 + VDI__PRE_PAD;
    const int64_t C = d->channels;
    const int64_t F = 2 * C * (d->layers + 1);
    float *x = (float *)(void *)at, *h, *c, *out, *w, *z, *film;
    at += vdi__align_count(2 * steps, sizeof(float));
    h = (float *)(void *)at;
    at += vdi__align_count(steps * C, sizeof(float));
    c = (float *)(void *)at;
    at += vdi__align_count(steps * C, sizeof(float));
    out = (float *)(void *)at;
    at += vdi__align_count(4 * steps, sizeof(float));
    w = (float *)(void *)at;
    at += vdi__align_count(VDI__MAX((int64_t)d->stem * 2 * C, (int64_t)d->width * C * C),
                           sizeof(float));
    z = (float *)(void *)at;
    film = z + VDI_PRETRAINED_STATS + d->hidden;

    for (int64_t i = 0; i < 2 * steps; i++)
        x[i] = p->x[VDI__MAX((int64_t)0, VDI__MIN(p->samples - 1, i - VDI__PRE_PAD))];
    for (int i = 0; i < VDI_PRETRAINED_STATS; i++)
        z[i] = vdi__pretrained_standard(item, p->stats, i);
    vdi_affine(VDI_F32, 1, (size_t)d->hidden, VDI_PRETRAINED_STATS, z, VDI_PRETRAINED_STATS,
               film_param[0].value.data, (size_t)d->hidden, film_param[1].value.data,
               VDI_ACT_LEAKY_RELU, VDI__PRE_SLOPE, z + VDI_PRETRAINED_STATS, (size_t)d->hidden);
    vdi_affine(VDI_F32, 1, (size_t)F, (size_t)d->hidden, z + VDI_PRETRAINED_STATS,
               (size_t)d->hidden, film_param[2].value.data, (size_t)F, film_param[3].value.data,
               VDI_ACT_NONE, 0, film, (size_t)F);

    vdi__fold(2 * (int64_t)d->stem, C, (const float *)item[VDI__PRE_STEM].value.data, film, w);
    vdi_conv1d(VDI_F32, 1, (size_t)steps, 2, (size_t)C, (size_t)d->stem, (size_t)(d->stem - 1) / 2,
               x, w, film + C, VDI_ACT_LEAKY_RELU, VDI__PRE_SLOPE, h);
    for (int i = 0; i < d->layers; i++) {
        const float *gain = film + 2 * C * (i + 1);
        vdi_conv1d_shape s = VDI__ZERO;
        s.batch = 1;
        s.t = (size_t)steps;
        s.cin = s.cout = (size_t)C;
        s.width = (size_t)d->width;
        s.dilation = (size_t)d->dilation[i];
        s.pad_left = s.dilation * (s.width - 1) / 2;
        vdi__fold((int64_t)d->width * C, C, (const float *)item[VDI__PRE_LAYER + i].value.data,
                  gain, w);
        vdi_conv1d_dilated(VDI_F32, &s, h, w, gain + C, VDI_ACT_LEAKY_RELU, VDI__PRE_SLOPE, c);
        vdi_axpby(VDI_F32, (size_t)(steps * C), 1, c, 1, h);
    }
    vdi_conv1d(VDI_F32, 1, (size_t)steps, (size_t)C, 4, 3, 1, h, head[0].value.data,
               head[1].value.data, VDI_ACT_NONE, 0, out);
    out += 2 * VDI__PRE_PAD; /* (steps,4): spikes of both samples, then the trace of both */
    for (int64_t i = 0; i < p->samples; i++)
        x[i] = out[4 * (i / 2) + i % 2];
    for (int64_t i = 0; i < p->samples; i++)
        clean[i] += out[4 * (i / 2) + 2 + i % 2];
    vdi_softplus(VDI_F32, (size_t)p->samples, x, x);
    vdi_axpby(VDI_F32, (size_t)p->samples, 1, x, 1, spikes);
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
    vdi_status status = vdi_pretrained_prepare(dtype, frames, trace, fps, work, prepare, &p, err);
    if (status < 0) return status;
    const int64_t samples = p.samples;
    char *at = (char *)(((uintptr_t)work + prepare + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    double *sum = (double *)(void *)at; /* expected spikes up to the beginning of each sample */
    const int members = net->desc.members;
    at += vdi__align_count(samples + 1, sizeof(double));
    float *spikes = (float *)(void *)at;
    float *denoised = (float *)(void *)(at + vdi__align_count(samples, sizeof(float)));
    at += 2 * vdi__align_count(samples, sizeof(float));
    memset(spikes, 0, (size_t)samples * sizeof *spikes);
    memset(denoised, 0, (size_t)samples * sizeof *denoised);
    for (int m = 0; p.scale > 0 && m < members; m++) {
        vdi__pretrained_add(&net->desc, net->params->item + m * VDI__PRE_EACH(&net->desc), &p, at,
                            spikes, denoised);
    }
    sum[0] = 0;
    for (int64_t i = 0; i < samples; i++)
        sum[i + 1] = sum[i] + (double)spikes[i] / members;
    r->noise = p.noise;
    r->scale = p.scale;
    r->count = sum[samples];
    for (int64_t i = 0; r->grid && i < samples; i++)
        vdi_dtype_store(dtype, r->grid, i, sum[i + 1] - sum[i]);
    double before = 0;
    for (int64_t k = 0; k < frames; k++) {
        const double edge = ((double)k + 0.5) / fps * VDI_PRETRAINED_GRID + 0.5;
        const double to = k + 1 < frames ? VDI__MIN(edge, (double)samples) : (double)samples;
        const int64_t i = VDI__MIN((int64_t)to, samples - 1);
        const double until = sum[i] + (to - (double)i) * (sum[i + 1] - sum[i]);
        const double expected = VDI__MAX(0, until - before);
        before = until;
        if (r->spikes) vdi_dtype_store(dtype, r->spikes, k, expected);
        if (r->probability) vdi_dtype_store(dtype, r->probability, k, -expm1(-expected));
        if (r->baseline) vdi_dtype_store(dtype, r->baseline, k, (double)p.baseline[k]);
        if (r->denoised) {
            const double where =
                VDI__MIN((double)k / fps * VDI_PRETRAINED_GRID, (double)(samples - 1));
            const int64_t j = VDI__MIN((int64_t)where, VDI__MAX(samples - 2, (int64_t)0));
            const int64_t j1 = VDI__MIN(j + 1, samples - 1);
            const double y0 = (double)denoised[j], y1 = (double)denoised[j1];
            const double clean =
                (double)p.baseline[k] + p.scale / members * (y0 + (where - (double)j) * (y1 - y0));
            vdi_dtype_store(dtype, r->denoised, k, clean);
        }
    }
    return VDI_OK;
}
#endif
