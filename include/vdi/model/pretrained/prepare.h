/* model/pretrained/prepare.h - preprocessing: any trace in the form that the pretrained network
 * reads
 *
 *   measured   frames that are finite, minus their mean (in double: a constant of any size comes
 *              off).
 *              Noise from the differences of those that stand the usual distance apart, so that
 *              every other frame missing changes nothing: 1.4826 median |difference| / sqrt 2
 *   wild       at 15 Hz and above, one frame more than 8 noise from the mean of its neighbours,
 *              which agree to 3 noise, is put between them
 *   segments   between gaps of more than a second; shorter gaps are bridged by lines
 *   fast       above 63 Hz the trace is averaged over samples of 1/60 s first: what follows is then
 *              the same for any such rate
 *   baseline   medians of blocks of 0.5 s, their 20th percentile within 15 s on either side, a
 *              moving average of five blocks, straight lines between the middles
 *   scale      the standard deviation of what is left
 *   statistics see vdi__trace_stats
 */
#ifndef VDI_MODEL_PRETRAINED_PREPARE_H
#define VDI_MODEL_PRETRAINED_PREPARE_H
#include "pretrained.h"

/** A piece of a trace between long gaps. */
typedef struct vdi_prepared_segment {
    int64_t frame, frames; /**< first frame in the trace, and how many */
    int64_t sample;        /**< first sample in `x`; sample 0 is at the first frame */
    int64_t samples;       /**< how many */
} vdi_prepared_segment;
/** A trace in the form that the network reads. */
typedef struct vdi_prepared {
    int64_t segments;              /**< pieces between long gaps */
    vdi_prepared_segment *segment; /**< (segments) */
    int64_t samples;               /**< of the 60 Hz grid, all segments together */
    float *x;                      /**< (samples), one segment behind the other */
    int64_t points;                /**< of the following two: frames of all segments, above 63 Hz
                                        samples */
    double rate;                   /**< of these points, Hz */
    float *filled, *baseline;      /**< (points): the trace minus `offset`, gaps bridged; what was
                                        taken off it */
    double offset;                 /**< mean of the trace */
    double scale;                  /**< x = (trace - offset - baseline) / scale; 0 if constant */
    double noise;                  /**< standard deviation of the white noise of a frame */
    float stats[VDI_PRETRAINED_STATS]; /**< not yet standardised */
} vdi_prepared;
/** Bytes for vdi_pretrained_prepare: the arrays of the result live there. */
VDI_API size_t vdi_pretrained_prepare_memsize(int64_t frames, double fps);
/** Bridge, baseline, scale, 60 Hz, statistics. A constant trace has scale 0 and x = 0. Errors as
 * vdi_pretrained_infer. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_prepare(vdi_dtype dtype, int64_t frames,
                                                        const void *trace, double fps, void *work,
                                                        size_t size, vdi_prepared *out,
                                                        vdi_error *err);
/** `frames` values at fps to the 60 Hz grid: interpolated up to 63 Hz, else averaged. `sum` is
 * scratch (frames + 1), used above 63 Hz. */
VDI_API void vdi_pretrained_to_grid(int64_t frames, const float *y, double fps, double *sum,
                                    int64_t samples, float *x);

#endif /* VDI_MODEL_PRETRAINED_PREPARE_H */

#if defined(VDI__BODIES) && defined(VDI_PRETRAINED_IMPLEMENTATION) && \
    !defined(VDI_MODEL_PRETRAINED_PREPARE_C)
#define VDI_MODEL_PRETRAINED_PREPARE_C

/* ======== order statistics ==================================================================== */

/* Those of x[low] ... x[high] that are below the pivot, or equal to it if `equal`, to the front;
 * returns where the others begin. Every value is moved, without a branch that nobody could guess.
 */
VDI__FN int64_t vdi__gather_below(float *x, int64_t low, int64_t high, float pivot, bool equal) {
    int64_t next = low;
    for (int64_t i = low; i <= high; i++) {
        const float v = x[i];
        x[i] = x[next];
        x[next] = v;
        next += equal ? v <= pivot : v < pivot;
    }
    return next;
}

VDI__FN float vdi__middle_of(float a, float b, float c) {
    return VDI__MAX(VDI__MIN(a, b), VDI__MIN(VDI__MAX(a, b), c));
}

/* The k-th smallest of x, which is left partly sorted: x[k] is it, smaller ones stand before,
 * larger ones behind. Those before x[low], low <= k, are known to be no larger than the others. */
VDI__FN float vdi__select(float *x, int64_t low, int64_t n, int64_t k) {
    int64_t high = n - 1;
    while (low < high) {
        const float pivot = vdi__middle_of(x[low], x[low + (high - low) / 2], x[high]);
        const int64_t same = vdi__gather_below(x, low, high, pivot, false);
        if (k < same) {
            high = same - 1;
            continue;
        }
        low = vdi__gather_below(x, same, high, pivot, true);
        if (k < low) break;
    }
    return x[k];
}

/* The q-quantile with linear interpolation between order statistics, as NumPy's default; those
 * before x[low] are known to be no larger than the others. */
VDI__FN double vdi__quantile_above(float *x, int64_t low, int64_t n, double q) {
    const double at = q * (double)(n - 1);
    const int64_t k = (int64_t)at;
    const double value = (double)vdi__select(x, VDI__MIN(low, k), n, k);
    if (k + 1 >= n) return value;
    float next = x[k + 1];
    for (int64_t i = k + 2; i < n; i++)
        next = x[i] < next ? x[i] : next;
    return value + (at - (double)k) * ((double)next - value);
}
VDI__FN double vdi__quantile(float *x, int64_t n, double q) {
    return vdi__quantile_above(x, 0, n, q);
}
/* ... of sorted numbers */
VDI__FN double vdi__quantile_sorted(const float *x, int64_t n, double q) {
    const double at = q * (double)(n - 1);
    const int64_t k = (int64_t)at;
    const double value = (double)x[k];
    return k + 1 < n ? value + (at - (double)k) * ((double)x[k + 1] - value) : value;
}

/* How many of n numbers are below v. */
VDI__FN int64_t vdi__count_below(const float *x, int64_t n, float v) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += x[i] < v;
    return count;
}

/* ======== baseline and grid =================================================================== */

/* The running baseline: medians of blocks of half a second, their 20th percentile within 15 s on
   either side, a moving average of five, and straight lines between the middles of the blocks. b
   (frames); s: scratch (frames + 96). */
VDI__FN void vdi__baseline(int64_t n, const float *y, double fps, float *b, float *s) {
    enum { REACH = 30 }; /* blocks in 15 s */
    const int64_t width = VDI__MIN(n, VDI__MAX((int64_t)1, (int64_t)nearbyint(0.5 * fps)));
    const int64_t blocks = n / width;
    /* the medians lie at the front of b until they are spread out; there are never more than
     * frames */
    float *median = b, window[2 * REACH + 2];
    for (int64_t i = 0; i < blocks; i++) {
        memcpy(s, y + i * width, (size_t)width * sizeof *s);
        median[i] = (float)vdi__quantile(s, width, 0.5);
    }
    for (int64_t i = 0, to = 0, held = 0; i < blocks; i++) { /* a window that stays sorted */
        if (i > REACH) {
            const int64_t at = vdi__count_below(window, held--, median[i - REACH - 1]);
            memmove(window + at, window + at + 1, (size_t)(held - at) * sizeof *window);
        }
        for (; to < VDI__MIN(blocks, i + REACH + 1); to++) {
            const int64_t at = vdi__count_below(window, held, median[to]);
            memmove(window + at + 1, window + at, (size_t)(held++ - at) * sizeof *window);
            window[at] = median[to];
        }
        s[i] = (float)vdi__quantile_sorted(window, held, 0.2);
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

/* ======== statistics ========================================================================== */

VDI__FN double vdi__cube_root(double x) { return x < 0 ? -pow(-x, 1.0 / 3) : pow(x, 1.0 / 3); }

/* v = (x - mean) / standard deviation; returns the skewness. */
VDI__FN double vdi__stats_standardise(int64_t n, const float *x, float *v) {
    double mean = 0, square = 0, cube = 0;
    for (int64_t i = 0; i < n; i++) {
        mean += (double)x[i];
    }
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    }
    const double sd = sqrt(square / (double)n) + 1e-9;
    for (int64_t i = 0; i < n; i++) {
        const double z = ((double)x[i] - mean) / sd;
        v[i] = (float)z;
        cube += z * z * z;
    }
    return cube / (double)n;
}

/* Autocorrelation of v at a lag, which is cut to the length of each segment. */
VDI__FN double vdi__stats_lag(const vdi_prepared *p, const float *v, int64_t lag) {
    double sum = 0, pairs = 0;
    for (int64_t k = 0; k < p->segments; k++) {
        const int64_t m = p->segment[k].samples, d = VDI__MIN(lag, m - 1);
        const float *w = v + p->segment[k].sample;
        sum += vdi_dot(VDI_F32, (size_t)(m - d), w, w + d);
        pairs += (double)(m - d);
    }
    return sum / pairs;
}

/* Differences over a lag: cube root of their third moment over the cube of their standard
 * deviation, and the log of that. */
VDI__FN void vdi__stats_jump(const vdi_prepared *p, const float *v, int64_t lag, float *out) {
    double m1 = 0, m2 = 0, m3 = 0, pairs = 0;
    for (int64_t k = 0; k < p->segments; k++) {
        const int64_t d = VDI__MIN(lag, p->segment[k].samples - 1);
        const int64_t m = p->segment[k].samples - d;
        const float *w = v + p->segment[k].sample;
        double s1 = 0, s2 = 0, s3 = 0; /* of this segment, in registers */
        for (int64_t i = 0; i < m; i++) {
            const double e = (double)w[i + d] - (double)w[i], square = e * e;
            s1 += e;
            s2 += square;
            s3 += square * e;
        }
        m1 += s1;
        m2 += s2;
        m3 += s3;
        pairs += (double)m;
    }
    m1 /= pairs;
    const double sd = sqrt(VDI__MAX(0, m2 / pairs - m1 * m1)) + 1e-9;
    out[0] = (float)vdi__cube_root(m3 / pairs / (sd * sd * sd));
    out[1] = (float)log(sd);
}

enum { VDI__PRE_AROUND = 12 };

/* The mean shape around rises, each weighted by the cube of its height in 0.1 s, so that the
 * steepest ones decide: log of the mean rise, and the values around it relative to the rise. */
VDI__FN void vdi__stats_shape(const vdi_prepared *p, const float *v, float *out) {
    static const int around[VDI__PRE_AROUND] = {-12, -6, -2, -1, 0, 1, 2, 4, 8, 16, 32, 64};
    double weight = 0, rise = 0, shape[VDI__PRE_AROUND] = {0};
    for (int64_t k = 0; k < p->segments; k++) {
        const int64_t m = p->segment[k].samples;
        const float *w = v + p->segment[k].sample;
        for (int64_t i = 3; i + 3 < m; i++) {
            const double d = (double)w[i + 3] - (double)w[i - 3];
            if (!(d > 0)) continue;
            const double cube = d * d * d;
            weight += cube;
            rise += cube * d;
            for (int j = 0; j < VDI__PRE_AROUND; j++) {
                const int64_t at = VDI__MAX((int64_t)0, VDI__MIN(m - 1, i + around[j]));
                shape[j] += cube * ((double)w[at] - (double)w[i - 3]);
            }
        }
    }
    *out++ = (float)log(weight > 0 ? rise / weight + 1e-3 : 1e-3);
    for (int j = 0; j < VDI__PRE_AROUND; j++) {
        *out++ = (float)(rise > 0 ? VDI__MAX(-5, VDI__MIN(5, shape[j] / rise)) : 0);
    }
}

/* log of the share of samples just below the top: a trace that was cut off has many. */
VDI__FN double vdi__stats_top(int64_t n, const float *x) {
    float most = x[0];
    int64_t near_top = 0;
    for (int64_t i = 1; i < n; i++) {
        most = x[i] > most ? x[i] : most;
    }
    for (int64_t i = 0; i < n; i++) {
        near_top += x[i] > most - 0.02f * (most + 1);
    }
    return log((double)near_top / (double)n + 1e-4);
}

/* The statistics, in this order: log of the frame rate, of the noise over the scale, of the length;
 * autocorrelations at 2, 4 ... 512 samples; skewness; asymmetry and size of differences over 4, 16,
 * 64 samples; the shape of rises (13); six quantiles; the share at the top. v: scratch
 * (samples). */
VDI__FN void vdi__trace_stats(vdi_prepared *p, double fps, double noise, float *v) {
    static const int jump[] = {4, 16, 64};
    static const double level[] = {0.01, 0.1, 0.5, 0.9, 0.99, 0.999};
    const int64_t n = p->samples;
    float *out = p->stats;
    const double skewness = vdi__stats_standardise(n, p->x, v);
    *out++ = (float)log(fps / 30);
    *out++ = (float)log(noise + 1e-3);
    *out++ = (float)log((double)n / VDI_PRETRAINED_GRID + 1);
    for (int64_t lag = 2; lag <= 512; lag *= 2) {
        *out++ = (float)vdi__stats_lag(p, v, lag);
    }
    *out++ = (float)VDI__MAX(-5, VDI__MIN(15, skewness));
    for (size_t j = 0; j < VDI__COUNT(jump); j++) {
        vdi__stats_jump(p, v, jump[j], out);
        out += 2;
    }
    vdi__stats_shape(p, v, out);
    out += 1 + VDI__PRE_AROUND;
    memcpy(v, p->x, (size_t)n * sizeof *v);
    for (size_t j = 0; j < VDI__COUNT(level); j++) {
        const int64_t sorted = j ? (int64_t)(level[j - 1] * (double)(n - 1)) : 0;
        *out++ = (float)vdi__quantile_above(v, sorted, n, level[j]);
    }
    *out = (float)vdi__stats_top(n, p->x);
}

/* ======== memory ============================================================================== */

VDI__FN size_t vdi__align_count(int64_t n, size_t size) { return vdi_align_size((size_t)n * size); }

/* Most pieces that long gaps (of at least two frames) leave. */
VDI__FN int64_t vdi__most_segments(int64_t frames) { return frames / 3 + 2; }

VDI__DEF size_t vdi_pretrained_prepare_memsize(int64_t frames, double fps) {
    const int64_t samples = vdi_pretrained_grid(frames, fps);
    if (samples < 0) return 0;
    const int64_t most = VDI__MAX(frames, samples) + 96;
    return 3 * vdi__align_count(most, sizeof(float)) + vdi__align_count(samples, sizeof(float)) +
           vdi__align_count(frames, sizeof(int64_t)) +
           vdi__align_count(frames + 1, sizeof(double)) +
           vdi__align_count(vdi__most_segments(frames), sizeof(vdi_prepared_segment)) + VDI_ALIGN;
}

/* A trace on its way. */
typedef struct vdi__preparing {
    vdi_prepared *out;
    double fps;
    int64_t frames, measured, apart; /* apart: usual distance of measured frames */
    int64_t *where;                  /* (measured) */
    float *scratch;                  /* (frames or samples, + 96) */
    double *sum;                     /* (frames + 1) */
} vdi__preparing;

VDI__FN vdi__preparing vdi__prepare_place(vdi_prepared *out, int64_t frames, double fps,
                                          void *work) {
    char *at = (char *)(((uintptr_t)work + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    const int64_t samples = vdi_pretrained_grid(frames, fps);
    const int64_t most = VDI__MAX(frames, samples) + 96;
    vdi__preparing u = VDI__ZERO;
    u.out = out;
    u.fps = fps;
    u.frames = frames;
    out->filled = (float *)(void *)at;
    at += vdi__align_count(most, sizeof(float));
    out->baseline = (float *)(void *)at;
    at += vdi__align_count(most, sizeof(float));
    u.scratch = (float *)(void *)at;
    at += vdi__align_count(most, sizeof(float));
    out->x = (float *)(void *)at;
    at += vdi__align_count(samples, sizeof(float));
    u.where = (int64_t *)(void *)at;
    at += vdi__align_count(frames, sizeof(int64_t));
    u.sum = (double *)(void *)at;
    at += vdi__align_count(frames + 1, sizeof(double));
    out->segment = (vdi_prepared_segment *)(void *)at;
    return u;
}

/* ======== measured frames ===================================================================== */

/* Their values, minus the mean, at the front of `filled`, and where they stand. */
VDI__FN void vdi__prepare_measured(vdi__preparing *u, vdi_dtype dtype, const void *trace) {
    double mean = 0;
    u->measured = 0;
    for (int64_t i = 0; i < u->frames; i++) {
        const double value = vdi_dtype_load(dtype, trace, i);
        if (!(value - value == 0) || !(fabs(value) < 1e30)) continue;
        u->where[u->measured++] = i;
        mean += (value - mean) / (double)u->measured;
    }
    u->out->offset = mean;
    for (int64_t i = 0; i < u->measured; i++) {
        u->out->filled[i] = (float)(vdi_dtype_load(dtype, trace, u->where[i]) - mean);
    }
}

/* The usual distance of two measured frames, and the noise from those that stand so far apart. */
VDI__FN void vdi__prepare_noise(vdi__preparing *u) {
    const float *y = u->out->filled;
    float *s = u->scratch;
    const int64_t pairs = u->measured - 1;
    int64_t count = 0;
    u->apart = 1;
    for (int64_t i = 0; i < pairs; i++) {
        s[i] = (float)(u->where[i + 1] - u->where[i]);
    }
    if (pairs > 0) u->apart = (int64_t)vdi__select(s, 0, pairs, pairs / 2);
    for (int64_t i = 0; i < pairs; i++) {
        if (u->where[i + 1] - u->where[i] <= u->apart) s[count++] = fabsf(y[i + 1] - y[i]);
    }
    u->out->noise = count ? 1.4826 / sqrt(2.0) * vdi__quantile(s, count, 0.5) : 0;
}

/* Single frames far above or below both of their neighbours, which agree. A transient would need to
 * decay to a small part of itself within a frame to be taken for one. */
VDI__FN void vdi__prepare_wild(const vdi__preparing *u) {
    const float noise = (float)u->out->noise;
    float *y = u->out->filled;
    if (u->fps / (double)u->apart < 15) return;
    for (int64_t i = 1; i + 1 < u->measured; i++) {
        const float middle = 0.5f * (y[i - 1] + y[i + 1]);
        const float apart = fabsf(y[i + 1] - y[i - 1]), height = fabsf(y[i] - middle);
        if (height > 8 * noise && apart < 3 * noise && apart < 0.25f * height) y[i] = middle;
    }
}

/* ======== segments ============================================================================ */

/* Pieces between long gaps. Until vdi__prepare_bridge, `sample` and `samples` count measured
 * frames. */
VDI__FN void vdi__prepare_segments(vdi__preparing *u) {
    const int64_t gap = VDI__MAX(2 * u->apart, (int64_t)ceil(VDI__MIN(u->fps, 1e9)));
    vdi_prepared *out = u->out;
    int64_t first = 0;
    out->segments = 0;
    out->points = 0;
    for (int64_t i = 0; i < u->measured; i++) {
        if (i + 1 < u->measured && u->where[i + 1] - u->where[i] <= gap) continue;
        vdi_prepared_segment *s = &out->segment[out->segments++];
        s->frame = u->where[first];
        s->frames = u->where[i] - u->where[first] + 1;
        s->sample = first;
        s->samples = i - first + 1;
        out->points += s->frames;
        first = i + 1;
    }
}

/* Spread the measured frames of all segments out, one segment behind the other, with straight lines
 * between them. From behind, since a value never moves to the front. */
VDI__FN void vdi__prepare_bridge(const vdi__preparing *u) {
    float *y = u->out->filled;
    int64_t begin = u->out->points;
    for (int64_t k = u->out->segments - 1; k >= 0; k--) {
        const vdi_prepared_segment *s = &u->out->segment[k];
        begin -= s->frames;
        for (int64_t i = s->sample + s->samples - 1; i >= s->sample; i--) {
            const int64_t to = begin + u->where[i] - s->frame;
            const float high = y[i];
            y[to] = high;
            if (i == s->sample) break;
            const int64_t before = begin + u->where[i - 1] - s->frame;
            const float low = y[i - 1];
            for (int64_t j = to - 1; j > before; j--) {
                y[j] = low + (high - low) * ((float)(j - before) / (float)(to - before));
            }
        }
    }
}

/* Where each segment stands on the grid; above 63 Hz, `filled` becomes samples of the grid. Returns
 * the noise of a point. */
VDI__FN double vdi__prepare_points(const vdi__preparing *u) {
    vdi_prepared *out = u->out;
    const bool fast = u->fps > 1.05 * VDI_PRETRAINED_GRID;
    float *s = u->scratch;
    int64_t from = 0;
    out->samples = 0;
    for (int64_t k = 0; k < out->segments; k++) {
        vdi_prepared_segment *g = &out->segment[k];
        g->sample = out->samples;
        g->samples = vdi_pretrained_grid(g->frames, u->fps);
        if (fast) {
            vdi_pretrained_to_grid(g->frames, out->filled + from, u->fps, u->sum, g->samples,
                                   s + g->sample);
        }
        out->samples += g->samples;
        from += g->frames;
    }
    out->rate = u->fps;
    if (!fast) return out->noise;
    out->rate = VDI_PRETRAINED_GRID;
    out->points = out->samples;
    memcpy(out->filled, s, (size_t)out->samples * sizeof *s);
    const int64_t pairs = out->samples - 1;
    for (int64_t i = 0; i < pairs; i++) {
        s[i] = fabsf(out->filled[i + 1] - out->filled[i]);
    }
    return pairs > 0 ? 1.4826 / sqrt(2.0) * vdi__quantile(s, pairs, 0.5) : 0;
}

/* ======== scale =============================================================================== */

/* The point of each measured frame into u->where; above 63 Hz all points count. Returns how
 * many. */
VDI__FN int64_t vdi__prepare_counted(const vdi__preparing *u) {
    const vdi_prepared *p = u->out;
    int64_t k = 0, begin = 0;
    if (u->fps > 1.05 * VDI_PRETRAINED_GRID) return 0;
    for (int64_t i = 0; i < u->measured; i++) {
        while (u->where[i] >= p->segment[k].frame + p->segment[k].frames) {
            begin += p->segment[k++].frames;
        }
        u->where[i] += begin - p->segment[k].frame;
    }
    return u->measured;
}

/* The standard deviation above the baseline of what was measured (a bridge has less noise); 0 where
 * what is left is rounding. */
VDI__FN double vdi__prepare_scale(const vdi__preparing *u) {
    const vdi_prepared *p = u->out;
    const int64_t counted = vdi__prepare_counted(u), n = counted ? counted : p->points;
    double mean = 0, square = 0, large = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = counted ? u->where[i] : i;
        mean += (double)p->filled[k] - (double)p->baseline[k];
        large = VDI__MAX(large, fabs((double)p->filled[k]));
    }
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = counted ? u->where[i] : i;
        const double d = (double)p->filled[k] - (double)p->baseline[k] - mean;
        square += d * d;
    }
    const double scale = sqrt(square / (double)n);
    return scale > 1e-6 * large && scale > 1e-9 * fabs(p->offset) ? scale : 0;
}

/* x: what is above the baseline, over the scale, on the grid. */
VDI__FN void vdi__prepare_x(const vdi__preparing *u) {
    vdi_prepared *p = u->out;
    float *s = u->scratch;
    int64_t from = 0;
    for (int64_t i = 0; i < p->points; i++) {
        const double above = (double)p->filled[i] - (double)p->baseline[i];
        s[i] = p->scale > 0 ? (float)(above / p->scale) : 0;
    }
    if (u->fps > 1.05 * VDI_PRETRAINED_GRID) {
        memcpy(p->x, s, (size_t)p->samples * sizeof *s);
        return;
    }
    for (int64_t k = 0; k < p->segments; k++) {
        const vdi_prepared_segment *g = &p->segment[k];
        vdi_pretrained_to_grid(g->frames, s + from, u->fps, u->sum, g->samples, p->x + g->sample);
        from += g->frames;
    }
}

VDI__DEF vdi_status vdi_pretrained_prepare(vdi_dtype dtype, int64_t frames, const void *trace,
                                           double fps, void *work, size_t size, vdi_prepared *out,
                                           vdi_error *err) {
    static const char where[] = "vdi_pretrained_prepare";
    const size_t need = vdi_pretrained_prepare_memsize(frames, fps);
    if (need == 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "%lld frames at %g Hz: expected at least one frame, a rate above 0, "
                             "and at most 10^9 samples at 60 Hz",
                             (long long)frames, fps);
    }
    if (!vdi_dtype_is_real(dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where,
                             "the trace is %s, expected float32 or float64", vdi_dtype_name(dtype));
    }
    if (size < need) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "%zu bytes of work memory, expected %zu",
                             size, need);
    }
    vdi__preparing u = vdi__prepare_place(out, frames, fps, work);
    vdi__prepare_measured(&u, dtype, trace);
    if (u.measured == 0) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "none of the trace's %lld frames is a finite number",
                             (long long)frames);
    }
    vdi__prepare_noise(&u);
    vdi__prepare_wild(&u);
    vdi__prepare_segments(&u);
    vdi__prepare_bridge(&u);
    const double noise = vdi__prepare_points(&u);
    vdi__baseline(out->points, out->filled, out->rate, out->baseline, u.scratch);
    out->scale = vdi__prepare_scale(&u);
    vdi__prepare_x(&u);
    vdi__trace_stats(out, VDI__MIN(fps, VDI_PRETRAINED_GRID) / (double)u.apart,
                     out->scale > 0 ? noise / out->scale : 0, u.scratch);
    return VDI_OK;
}
#endif
