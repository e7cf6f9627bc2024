/* model/pretrained/quality.h - measures of unusual traces: noise, gaps, clipping, rhythms, drift
 *
 * Do this:
 *     size_t size = vdi_pretrained_prepare_memsize(frames, 30.0);
 *     void *work = malloc(size);
 *     vdi_trace_quality q;
 *     if (vdi_pretrained_quality(VDI_F64, frames, trace, 30.0, work, size, &q, &err) < 0)
 *         puts(err.message);
 *     for (int i = 0; i < vdi_trace_quality_count(); i++)
 *         if (vdi_trace_quality_flag(&q, i)) puts(vdi_trace_quality_kind(i)->meaning);
 *
 * The measures are a table: a kind is a member of vdi_trace_quality, a limit, and what it may mean
 * beyond that limit. Limits were set on simulated cells, of which few are flagged; a flag says that
 * a trace should be inspected, not that it is bad.
 *
 * What it does NOT do: tell whether the frame rate is right; decay times of indicators span a
 * factor of 50, so `decay` is meant for inspection and for the median over a recording.
 * Memory: that of vdi_pretrained_prepare. Errors: its own. Threads: pure.
 */
#ifndef VDI_MODEL_PRETRAINED_QUALITY_H
#define VDI_MODEL_PRETRAINED_QUALITY_H
#include "prepare.h"

/** Measures of a trace; NaN where there is not enough of it. */
typedef struct vdi_trace_quality {
    double noise_level; /**< nu of CASCADE (Rupprecht et al. 2021): 100 median |difference of
                             neighbours| / sqrt(fps), in per cent if the trace is dF/F */
    double snr;       /**< 99.9th percentile above the median, over the noise; 3.1 without spikes */
    double missing;   /**< share of frames that are not finite */
    double saturated; /**< share of frames at the very maximum, where it is a wall: more of them
                             than just below */
    double dark;      /**< share at the very minimum, likewise */
    double outliers;  /**< share of single frames far from two neighbours that agree */
    double line;      /**< share of the variance in the strongest line of the spectrum */
    double line_hz;   /**< where it is */
    double smoothness; /**< noise from second differences one frame apart over that three frames
                             apart: 1 if it is white, less if the trace was smoothed; NaN below 15
                             Hz, where transients are as steep */
    double unsteady;   /**< largest noise within 64 frames over the usual one */
    double skew;       /**< skewness above the baseline: transients make it positive */
    double drift;      /**< range of the running baseline over the 99.9th percentile above it */
    double wander;     /**< how far running medians of 2.5 s go below their middle (5th percentile)
                            over how far they go above it (95th): about 0 to 0.5 in a cell that
                            rests between its transients, 1 if slow ups and downs are alike. 0 where
                            they stay within their noise, NaN below 10 s */
    double interval;   /**< seconds from one measured frame to the next */
    double decay;      /**< seconds in which a transient falls by 1/e, from autocorrelations */
} vdi_trace_quality;

/** A kind of trouble: a row of the table. */
typedef struct vdi_trace_quality_kind_row {
    const char *name;    /**< one word */
    size_t member;       /**< offset in vdi_trace_quality */
    double limit;        /**< beyond it the trace is flagged */
    bool below;          /**< flagged below the limit, else above */
    const char *meaning; /**< what it may mean */
} vdi_trace_quality_kind_row;
/** How many kinds there are. */
VDI_API int vdi_trace_quality_count(void);
/** Kind i, or NULL. */
VDI_API const vdi_trace_quality_kind_row *vdi_trace_quality_kind(int i);
/** Its value. */
VDI_API double vdi_trace_quality_value(const vdi_trace_quality *q, int i);
/** Is it beyond its limit? */
VDI_API bool vdi_trace_quality_flag(const vdi_trace_quality *q, int i);
/** Measure a trace. Arguments and errors as vdi_pretrained_prepare. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_quality(vdi_dtype dtype, int64_t frames,
                                                        const void *trace, double fps, void *work,
                                                        size_t size, vdi_trace_quality *out,
                                                        vdi_error *err);

#endif /* VDI_MODEL_PRETRAINED_QUALITY_H */

#if defined(VDI__BODIES) && defined(VDI_PRETRAINED_IMPLEMENTATION) && \
    !defined(VDI_MODEL_PRETRAINED_QUALITY_C)
#define VDI_MODEL_PRETRAINED_QUALITY_C

/* ======== the table =========================================================================== */

#define VDI__QUALITY_ROW(name, limit, below, meaning) \
    { #name, offsetof(vdi_trace_quality, name), limit, below, meaning }
static const vdi_trace_quality_kind_row vdi__quality_kinds[] = {
    VDI__QUALITY_ROW(noise_level, HUGE_VAL, false, "noise; its unit is that of the trace"),
    VDI__QUALITY_ROW(snr, 3.5, true,
                     "hardly a transient above the noise: no cell, or a silent one"),
    VDI__QUALITY_ROW(missing, 0.2, false, "many frames without a number"),
    VDI__QUALITY_ROW(saturated, 0.001, false, "the trace is cut off at the top"),
    VDI__QUALITY_ROW(dark, 0.001, false, "the trace is cut off at the bottom, or has dark frames"),
    VDI__QUALITY_ROW(outliers, 0.001, false, "single frames out of line: artefacts"),
    VDI__QUALITY_ROW(line, 0.1, false,
                     "a rhythm: heart, breath, stimulus or mains; it is read as spikes"),
    VDI__QUALITY_ROW(smoothness, 0.55, true,
                     "the noise is not white: smoothed, denoised or resampled; counts will be off"),
    VDI__QUALITY_ROW(unsteady, 8, false,
                     "noise that comes and goes: motion, light, or dF/F over an F0 near 0"),
    VDI__QUALITY_ROW(skew, -0.3, true, "more dips than rises: is the trace upside down?"),
    VDI__QUALITY_ROW(drift, 1.5, false,
                     "the baseline moves more than the transients: bleaching, drift"),
    VDI__QUALITY_ROW(wander, 0.8, false,
                     "slow ups and downs of like size, and no level at rest: drift, or a cell that "
                     "never pauses; both are read as spikes"),
    VDI__QUALITY_ROW(interval, 0.25, false,
                     "few frames a second: one spike and a burst look alike, so counts are a "
                     "guess"),
};

VDI__DEF int vdi_trace_quality_count(void) { return (int)VDI__COUNT(vdi__quality_kinds); }

VDI__DEF const vdi_trace_quality_kind_row *vdi_trace_quality_kind(int i) {
    return i >= 0 && i < vdi_trace_quality_count() ? &vdi__quality_kinds[i] : NULL;
}

VDI__DEF double vdi_trace_quality_value(const vdi_trace_quality *q, int i) {
    double value = HUGE_VAL - HUGE_VAL;
    if (i >= 0 && i < vdi_trace_quality_count())
        memcpy(&value, (const char *)q + vdi__quality_kinds[i].member, sizeof value);
    return value;
}

VDI__DEF bool vdi_trace_quality_flag(const vdi_trace_quality *q, int i) {
    const double value = vdi_trace_quality_value(q, i);
    const vdi_trace_quality_kind_row *kind = vdi_trace_quality_kind(i);
    return kind && (kind->below ? value < kind->limit : value > kind->limit);
}

/* ======== values ============================================================================== */

VDI__FN bool vdi__quality_load(vdi_dtype dtype, const void *trace, int64_t i, double *value) {
    *value = vdi_dtype_load(dtype, trace, i);
    return *value - *value == 0 && fabs(*value) < 1e30;
}

/* Shares of frames that are missing, and that stand at the walls of the range. */
VDI__FN void vdi__quality_range(vdi_dtype dtype, int64_t frames, const void *trace,
                                vdi_trace_quality *q) {
    double low = HUGE_VAL, high = -HUGE_VAL, v;
    int64_t measured = 0, top = 0, bottom = 0, under = 0, over = 0;
    for (int64_t i = 0; i < frames; i++) {
        if (!vdi__quality_load(dtype, trace, i, &v)) continue;
        measured++;
        low = VDI__MIN(low, v);
        high = VDI__MAX(high, v);
    }
    const double range = high - low, thin = 1e-6 * range, thick = 0.05 * range;
    for (int64_t i = 0; i < frames && range > 0; i++) {
        if (!vdi__quality_load(dtype, trace, i, &v)) continue;
        top += v >= high - thin;
        under += v >= high - thick;
        bottom += v <= low + thin;
        over += v <= low + thick;
    }
    q->missing = 1 - (double)measured / (double)frames;
    q->saturated = top >= 5 && 2 * top > under ? (double)top / (double)measured : 0;
    q->dark = bottom >= 5 && 2 * bottom > over ? (double)bottom / (double)measured : 0;
}

/* Single frames far from both of their neighbours (as vdi__prepare_wild has them). */
VDI__FN double vdi__quality_outliers(vdi_dtype dtype, int64_t frames, const void *trace,
                                     double noise) {
    int64_t wild = 0, seen = 0;
    double a = 0, b = 0, c;
    for (int64_t i = 0; i < frames; i++) {
        if (!vdi__quality_load(dtype, trace, i, &c)) continue;
        const double height = fabs(b - 0.5 * (a + c)), apart = fabs(c - a);
        wild += seen >= 2 && height > 8 * noise && apart < 3 * noise && apart < 0.25 * height;
        seen++;
        a = b;
        b = c;
    }
    return seen > 0 ? (double)wild / (double)seen : 0;
}

/* |y(t - k) - 2 y(t) + y(t + k)| where all three were measured, into s (frames); how many. */
VDI__FN int64_t vdi__quality_differences(vdi_dtype dtype, int64_t frames, const void *trace,
                                         int64_t k, double offset, float *s) {
    int64_t n = 0;
    double a, b, c;
    for (int64_t i = k; i + k < frames; i++) {
        if (!vdi__quality_load(dtype, trace, i, &b)) continue;
        if (!vdi__quality_load(dtype, trace, i - k, &a)) continue;
        if (!vdi__quality_load(dtype, trace, i + k, &c)) continue;
        s[n++] = (float)fabs((a - offset) - 2 * (b - offset) + (c - offset));
    }
    return n;
}

/* Their median as the standard deviation of white noise. */
VDI__FN double vdi__quality_second(vdi_dtype dtype, int64_t frames, const void *trace, int64_t k,
                                   double offset, float *s) {
    const int64_t n = vdi__quality_differences(dtype, frames, trace, k, offset, s);
    return n < 32 ? HUGE_VAL - HUGE_VAL : 1.4826 / sqrt(6.0) * vdi__quantile(s, n, 0.5);
}

/* The largest median of a block of them over the median of the blocks. */
VDI__FN double vdi__quality_unsteady(vdi_dtype dtype, int64_t frames, const void *trace,
                                     int64_t apart, double offset, float *s) {
    enum { BLOCK = 64 };
    const int64_t n = vdi__quality_differences(dtype, frames, trace, apart, offset, s);
    const int64_t blocks = n / BLOCK;
    double most = 0;
    if (blocks < 8) return HUGE_VAL - HUGE_VAL;
    for (int64_t i = 0; i < blocks; i++) {
        s[i] = vdi__select(s + i * BLOCK, 0, BLOCK, BLOCK / 2);
        most = VDI__MAX(most, (double)s[i]);
    }
    const double usual = vdi__quantile(s, blocks, 0.5);
    return usual > 0 ? most / usual : HUGE_VAL - HUGE_VAL;
}

/* Slow ups and downs: medians of half a second, a running median of five of them. block, smooth:
 * scratch (frames). `noise` is that of a frame. */
VDI__FN double vdi__quality_wander(vdi_dtype dtype, int64_t frames, const void *trace, double rate,
                                   double noise, double offset, float *block, float *smooth) {
    const int64_t width = VDI__MAX((int64_t)1, (int64_t)nearbyint(0.5 * rate));
    float window[5];
    int64_t n = 0, blocks = 0;
    double v;
    for (int64_t i = 0; i < frames; i++) {
        if (!vdi__quality_load(dtype, trace, i, &v)) continue;
        block[blocks + n++] = (float)(v - offset); /* behind the medians that are done */
        if (n < width) continue;
        block[blocks] = (float)vdi__quantile(block + blocks, n, 0.5);
        blocks++;
        n = 0;
    }
    if (blocks < 20) return HUGE_VAL - HUGE_VAL;
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t from = VDI__MAX((int64_t)0, i - 2), to = VDI__MIN(blocks, i + 3);
        memcpy(window, block + from, (size_t)(to - from) * sizeof *window);
        smooth[i] = (float)vdi__quantile(window, to - from, 0.5);
    }
    const double middle = vdi__quantile(smooth, blocks, 0.5);
    const double below = middle - vdi__quantile(smooth, blocks, 0.05);
    const double above = vdi__quantile(smooth, blocks, 0.95) - middle;
    const double own = 1.25 * noise / sqrt((double)width); /* of a median of so many */
    return below > 10 * own && above > 0 ? below / above : 0;
}

/* ======== spectrum ============================================================================ */

enum { VDI__QUALITY_FFT = 1024 };

/* A transform of 2^bits points in place (Cooley and Tukey 1965). */
VDI__FN void vdi__quality_fft(int bits, double *re, double *im) {
    const int n = 1 << bits;
    for (int i = 1, j = 0; i < n; i++) {
        int bit = n >> 1;
        for (; j & bit; bit >>= 1) {
            j ^= bit;
        }
        j ^= bit;
        if (i >= j) continue;
        const double r = re[i], m = im[i];
        re[i] = re[j];
        im[i] = im[j];
        re[j] = r;
        im[j] = m;
    }
    for (int length = 2; length <= n; length *= 2) {
        for (int k = 0; k < length / 2; k++) {
            const double angle = -2 * VDI_PI * k / length, c = cos(angle), s = sin(angle);
            for (int i = k; i < n; i += length) {
                const int j = i + length / 2;
                const double r = c * re[j] - s * im[j], m = c * im[j] + s * re[j];
                re[j] = re[i] - r;
                im[j] = im[i] - m;
                re[i] += r;
                im[i] += m;
            }
        }
    }
}

/* Powers of windows of 2^bits pairs of samples, half overlapping, added to `power` (2^bits / 2).
 * Returns how many there were. */
VDI__FN int64_t vdi__quality_welch(const float *x, int64_t samples, int bits, double *re,
                                   double *im, double *power) {
    const int n = 1 << bits;
    int64_t windows = 0;
    for (int64_t from = 0; from + 2 * n <= samples; from += n) {
        double mean = 0;
        for (int i = 0; i < n; i++) {
            re[i] = 0.5 * ((double)x[from + 2 * i] + (double)x[from + 2 * i + 1]);
            mean += re[i] / n;
        }
        for (int i = 0; i < n; i++) {
            re[i] = (re[i] - mean) * (0.5 - 0.5 * cos(2 * VDI_PI * (i + 0.5) / n));
            im[i] = 0;
        }
        vdi__quality_fft(bits, re, im);
        for (int k = 0; k < n / 2; k++)
            power[k] += re[k] * re[k] + im[k] * im[k];
        windows++;
    }
    return windows;
}

/* What is usual around bin k: the median of bins on both sides that are not part of a line. */
VDI__FN double vdi__quality_background(const double *power, int k, int end) {
    float around[VDI__QUALITY_FFT];
    const int reach = VDI__MAX(8, k / 2);
    int n = 0;
    for (int j = VDI__MAX(1, k - reach); j < end && j <= k + reach; j++) {
        if (j < k - 2 || j > k + 2) around[n++] = (float)log(power[j] + 1e-300);
    }
    return n ? exp(vdi__quantile(around, n, 0.5)) : 0;
}

/* The strongest line between 0.2 Hz and most of what the frame rate shows. */
VDI__FN void vdi__quality_line(const vdi_prepared *p, double fps, vdi_trace_quality *q) {
    double re[VDI__QUALITY_FFT], im[VDI__QUALITY_FFT], power[VDI__QUALITY_FFT / 2] = {0};
    int64_t windows = 0, longest = 0;
    for (int64_t k = 0; k < p->segments; k++)
        longest = VDI__MAX(longest, p->segment[k].samples);
    const int bits = longest >= 2 * VDI__QUALITY_FFT ? 10 : 8;
    q->line = q->line_hz = HUGE_VAL - HUGE_VAL;
    for (int64_t k = 0; k < p->segments; k++) {
        windows += vdi__quality_welch(p->x + p->segment[k].sample, p->segment[k].samples, bits, re,
                                      im, power);
    }
    if (windows == 0) return;
    const double step = 0.5 * VDI_PRETRAINED_GRID / (1 << bits);
    const int end = (int)VDI__MIN(0.45 * fps / step, (double)(1 << bits) / 2 - 3);
    double sum = 0;
    q->line = q->line_hz = 0;
    for (int k = 1; k < (1 << bits) / 2; k++)
        sum += power[k];
    for (int k = VDI__MAX(4, (int)(0.2 / step)); k < end; k++) {
        if (power[k] < power[k - 1] || power[k] < power[k + 1]) continue;
        const double background = vdi__quality_background(power, k, end + 3);
        if (!(power[k] > (8 + 20 / (double)windows) * background)) continue;
        double line = 0;
        for (int j = k - 2; j <= k + 2; j++)
            line += VDI__MAX(0, power[j] - background);
        if (line <= q->line * sum) continue;
        q->line = line / sum;
        q->line_hz = k * step;
    }
}

/* ======== all of them ========================================================================= */

/* Where the autocorrelation has halved its lag twice: r(L) / r(2 L) = exp(L / tau). */
VDI__FN double vdi__quality_decay(const vdi_prepared *p, double fps) {
    const float *r = p->stats + 3; /* at 2, 4 ... 512 samples */
    for (int i = 0; i < 8; i++) {
        const double lag = (double)(2 << i) / VDI_PRETRAINED_GRID;
        if (lag < VDI__MAX(1 / fps, 0.06)) continue;
        const double a = (double)r[i], b = (double)r[i + 1];
        if (!(a > 0.1)) break;
        if (b > 0.75 * a && i < 7) continue;
        return b > 0.01 * a ? lag / log(a / b) : lag / log(100.0);
    }
    return HUGE_VAL - HUGE_VAL;
}

VDI__DEF vdi_status vdi_pretrained_quality(vdi_dtype dtype, int64_t frames, const void *trace,
                                           double fps, void *work, size_t size,
                                           vdi_trace_quality *out, vdi_error *err) {
    vdi_prepared p;
    const vdi_status status =
        vdi_pretrained_prepare(dtype, frames, trace, fps, work, size, &p, err);
    if (status < 0) return status;
    const double seen = fps * exp(p.stats[0]) * 30 / VDI__MIN(fps, VDI_PRETRAINED_GRID);
    const double rate = VDI__MIN(seen, fps); /* of frames that were measured */
    const float *quantile = p.stats + VDI_PRETRAINED_STATS - 7;
    const double peak = ((double)quantile[5] - (double)quantile[2]) * p.scale;
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (int64_t i = 0; i < p.points; i++) {
        low = VDI__MIN(low, (double)p.baseline[i]);
        high = VDI__MAX(high, (double)p.baseline[i]);
    }
    vdi__quality_range(dtype, frames, trace, out);
    out->noise_level = 100 * p.noise * sqrt(2.0) / 1.4826 / sqrt(rate);
    out->snr = p.scale > 0 ? peak / VDI__MAX(p.noise, 1e-6 * p.scale) : 0;
    out->drift = p.scale > 0 ? (high - low) / peak : 0;
    out->outliers = vdi__quality_outliers(dtype, frames, trace, p.noise);
    out->decay = p.scale > 0 ? vdi__quality_decay(&p, rate) : HUGE_VAL - HUGE_VAL;
    out->skew = p.scale > 0 ? (double)p.stats[12] : 0;
    out->interval = 1 / rate;
    vdi__quality_line(&p, rate, out);
    const int64_t apart = (int64_t)(fps / rate + 0.5);
    /* the prepared trace is done with: its first array is scratch */
    const double next = vdi__quality_second(dtype, frames, trace, apart, p.offset, p.filled);
    const double third = vdi__quality_second(dtype, frames, trace, 3 * apart, p.offset, p.filled);
    out->unsteady = vdi__quality_unsteady(dtype, frames, trace, apart, p.offset, p.filled);
    out->wander = 0;
    if (p.scale > 0) {
        out->wander = vdi__quality_wander(dtype, frames, trace, rate, p.noise, p.offset, p.filled,
                                          p.baseline);
    }
    out->smoothness = third > 0 && rate >= 15 ? next / third : HUGE_VAL - HUGE_VAL;
    return VDI_OK;
}
#endif
