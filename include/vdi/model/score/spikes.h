/* model/score/spikes.h - how well spikes were found: correlations of smoothed rates, the ROC area,
 * and the count
 *
 * Do this:
 *     vdi_score_train trial = {frames, fps, estimate, times, spikes};   times (spikes) in seconds
 *     double *work = malloc(vdi_score_spikes_work(1, &trial) * sizeof *work);
 *     vdi_score_spikes_result r;
 *     if (vdi_score_spikes(1, &trial, work, &r, &err) == VDI_OK)
 *         printf("c100 %.3f, count %.2f\n", r.c100, r.count);
 *
 * One neuron at a time, its trials one after the other. The estimate is brought to a grid of 100 Hz
 * that starts at frame 0: up to 100 frames a second the rate (value x fps) interpolated linearly,
 * above that the values integrated over each 10 ms.
 *   c25 ... c200      Pearson r on the grid, both sides smoothed per trial with a Gaussian of
 *                     standard deviation 25, 50, 100, 200 ms (cut at 4, ends mirrored); the true
 *                     times are counted in bins with edges at 10 k - 5 ms (Rupprecht et al. 2021)
 *   r25    Pearson r in 40 ms bins, four samples summed; edges at 40 k - 5 ms (Berens et al. 2018)
 *   r40g, r160g   the same bins smoothed with a Gaussian of 40 or 160 ms
 *   delayed   r160g with the estimate moved by up to 400 ms either way: where it is largest, the
 *          estimate comes late (early times are best) or early
 *   auc    area under the ROC curve of the bins, spike or no spike, ties count half
 *   count  expected over true number of spikes of the bins
 * No measure but the count depends on the scale of the estimate. NaN and infinite values count
 * as 0.
 * A constant estimate has r = 0 and AUC 0.5, so that giving up never helps. Time 0 is the centre of
 * frame 0.
 *
 * What it does NOT do: means over neurons and data sets, information gain. Memory: the caller's.
 * Threads: pure.
 */
#ifndef VDI_MODEL_SCORE_SPIKES_H
#define VDI_MODEL_SCORE_SPIKES_H
#include "../../core/status.h"
#include "../../linalg/table.h"

/** One trial of a neuron. */
typedef struct vdi_score_train {
    int64_t frames;         /**< of the estimate */
    double fps;             /**< frames per second */
    const double *estimate; /**< (frames): expected spikes or a probability per frame */
    const double *times;    /**< (spikes): true spikes in seconds, any order, 0 = centre of frame
                                 0 */
    int64_t spikes;         /**< how many */
} vdi_score_train;

/** Delays that are tried: -400 to 400 ms in steps of a bin. */
#define VDI_SCORE_DELAYS 21

/** Scores of a neuron; NaN where the truth has no spike (or, for auc, one in every bin). */
typedef struct vdi_score_spikes_result {
    double c25, c50, c100, c200;      /**< correlation of rates smoothed by 25, 50, 100, 200 ms */
    double r25;                       /**< correlation in bins of 40 ms */
    double r40g;                      /**< after a Gaussian of sigma 40 ms */
    double r160g;                     /**< after one of 160 ms */
    double delayed[VDI_SCORE_DELAYS]; /**< r160g of the estimate moved by 40 (i - 10) ms, to later
                                           times where that is positive; its ends change places */
    double auc;        /**< area under the ROC curve: bins with a spike against bins without */
    double count;      /**< expected over true number of spikes */
    double expected;   /**< sum of the estimate */
    int64_t spikes;    /**< true spikes inside of the bins */
    int64_t bins;      /**< of 40 ms */
    int64_t nonfinite; /**< values of the estimate that count as 0 */
} vdi_score_spikes_result;

/** Doubles of `work`; SIZE_MAX where the trials last longer than any memory holds. */
VDI_API size_t vdi_score_spikes_work(int64_t trials, const vdi_score_train *trial);
/** Score a neuron. VDI_ERR_ARGUMENT for an fps that is not positive or a trial of more than 10^10
 * s, VDI_ERR_DATA if no bin of 40 ms fits in. */
VDI_API VDI_NODISCARD vdi_status vdi_score_spikes(int64_t trials, const vdi_score_train *trial,
                                                  double *work, vdi_score_spikes_result *out,
                                                  vdi_error *err);
/** Times of counts per frame (frames), n spikes of a frame spread evenly over it: times (sum of
 * counts) or NULL to count only. Returns how many there are; counts that are NaN or negative are
 * none. -1, and nothing is written, if a count is 10^9 or more, or they are too many together. */
VDI_API int64_t vdi_score_spikes_times(int64_t frames, double fps, const double *counts,
                                       double *times);

#endif /* VDI_MODEL_SCORE_SPIKES_H */

#if defined(VDI__BODIES) && defined(VDI_SCORE_IMPLEMENTATION) && !defined(VDI_MODEL_SCORE_SPIKES_C)
#define VDI_MODEL_SCORE_SPIKES_C

#define VDI__SCORE_STEP 0.01 /* seconds of the grid */
/* So many in a trial are refused: sums of them stay far from overflow. */
#define VDI__SCORE_SAMPLES 1e12
/* grid samples of a bin; most samples to either side of a smoothed one */
enum { VDI__SCORE_BIN = 4, VDI__SCORE_RADIUS = 80 };

/* Samples of the grid over the trial: 0, 0.01, ... below the centre of the last frame. -1: more
 * than there may be. */
VDI__FN int64_t vdi__score_grid(const vdi_score_train *q) {
    const double n = q->frames > 1 ? ceil((double)(q->frames - 1) / q->fps / VDI__SCORE_STEP) : 0;
    if (!(n < VDI__SCORE_SAMPLES)) return -1;
    return n > 0 ? (int64_t)n : 0;
}

VDI__DEF size_t vdi_score_spikes_work(int64_t trials, const vdi_score_train *trial) {
    size_t samples = 0;
    for (int64_t i = 0; i < trials; i++) {
        const int64_t n = trial[i].fps > 0 ? vdi__score_grid(&trial[i]) : 0;
        if (n < 0 || (uint64_t)n > SIZE_MAX / 64 - samples) return SIZE_MAX;
        samples += (size_t)n;
    }
    return 4 * samples + 2 * (samples / VDI__SCORE_BIN) + 1;
}

VDI__FN int64_t vdi__score_count(double x) { return x >= 0.5 ? (int64_t)floor(x + 0.5) : 0; }

VDI__DEF int64_t vdi_score_spikes_times(int64_t frames, double fps, const double *counts,
                                        double *times) {
    int64_t n = 0;
    for (int64_t k = 0; k < frames; k++) {
        if (counts[k] >= 1e9) return -1;
        n += vdi__score_count(counts[k]);
        if (n > INT64_MAX / 2) return -1;
    }
    if (!times) return n;
    n = 0;
    for (int64_t k = 0; k < frames; k++) {
        const int64_t c = vdi__score_count(counts[k]);
        for (int64_t j = 0; j < c; j++)
            times[n + j] = ((double)k - 0.5 + ((double)j + 0.5) / (double)c) / fps;
        n += c;
    }
    return n;
}

VDI__FN double vdi__score_value(const vdi_score_train *q, int64_t k) {
    return vdi__is_finite(q->estimate[k]) ? q->estimate[k] : 0;
}

/* Rates of up to 100 frames a second, interpolated. */
VDI__FN void vdi__score_interpolate(const vdi_score_train *q, int64_t samples, double *p) {
    int64_t frame = 0;
    for (int64_t i = 0; i < samples; i++) {
        const double time = (double)i * VDI__SCORE_STEP;
        while (frame + 2 < q->frames && (double)(frame + 1) / q->fps <= time) {
            frame++;
        }
        const double x0 = (double)frame / q->fps, x1 = (double)(frame + 1) / q->fps;
        const double a = vdi__score_value(q, frame) * q->fps;
        const double b = vdi__score_value(q, frame + 1) * q->fps;
        p[i] = (a + (b - a) / (x1 - x0) * (time - x0)) * VDI__SCORE_STEP;
    }
}

/* Values of more than 100 frames a second, integrated: frame k covers [k - 1/2, k + 1/2) / fps. */
VDI__FN void vdi__score_integrate(const vdi_score_train *q, int64_t samples, double *p) {
    double before = 0, sum = 0; /* up to the sample's left edge; up to the beginning of `frame` */
    int64_t frame = 0;
    for (int64_t i = -1; i < samples; i++) { /* -1 finds the left edge of the first sample */
        double edge = ((double)i + 0.5) * VDI__SCORE_STEP * q->fps + 0.5;
        edge = VDI__MAX(0, VDI__MIN(edge, (double)q->frames));
        while (frame + 1 < q->frames && (double)(frame + 1) <= edge) {
            sum += vdi__score_value(q, frame++);
        }
        const double until = sum + (edge - (double)frame) * vdi__score_value(q, frame);
        if (i >= 0) p[i] = until - before;
        before = until;
    }
}

/* The estimate on the grid. A constant stays exactly constant: rounding has no rank. */
VDI__FN void vdi__score_estimate(const vdi_score_train *q, int64_t samples, double *p) {
    double least = vdi__score_value(q, 0), most = least;
    for (int64_t k = 1; k < q->frames; k++) {
        const double v = vdi__score_value(q, k);
        least = VDI__MIN(least, v);
        most = VDI__MAX(most, v);
    }
    if (!(least < most)) {
        for (int64_t i = 0; i < samples; i++) {
            p[i] = least * q->fps * VDI__SCORE_STEP;
        }
    } else if (q->fps > 1 / VDI__SCORE_STEP) {
        vdi__score_integrate(q, samples, p);
    } else {
        vdi__score_interpolate(q, samples, p);
    }
}

/* True spikes in `bins` bins of `width` seconds, edges at width k - 5 ms. */
VDI__FN void vdi__score_truth(const vdi_score_train *q, int64_t bins, double width, double *z) {
    memset(z, 0, (size_t)bins * sizeof *z);
    for (int64_t s = 0; s < q->spikes; s++) {
        const double t = q->times[s];
        if (!(t >= -1 && t <= (double)bins * width + 1)) continue;
        int64_t i = (int64_t)floor((t + 0.005) / width);
        while (i > 0 && t < (double)i * width - 0.005) {
            i--;
        }
        while (t >= (double)(i + 1) * width - 0.005) {
            i++;
        }
        /* the last edge belongs to the last bin */
        if (i == bins && t == (double)bins * width - 0.005) i--;
        if (i >= 0 && i < bins && t >= (double)i * width - 0.005) z[i] += 1;
    }
}

/* y = x smoothed with a Gaussian of `sigma` samples, cut at 4 sigma, mirrored at the ends: d c b
 * a | a b c d | d c b a */
VDI__FN void vdi__score_smooth(int64_t n, double sigma, const double *x, double *y) {
    double w[VDI__SCORE_RADIUS + 1], sum = 0;
    const int radius = (int)(4 * sigma + 0.5);
    for (int k = 0; k <= radius; k++) {
        w[k] = exp(-0.5 * (double)(k * k) / (sigma * sigma));
        sum += k ? 2 * w[k] : w[k];
    }
    for (int64_t i = 0; i < n; i++) {
        double v = 0;
        for (int k = -radius; k <= radius; k++) {
            int64_t j = i + k;
            if (j < 0 || j >= n) {
                j %= 2 * n;
                if (j < 0) j += 2 * n;
                if (j >= n) j = 2 * n - 1 - j;
            }
            v += w[k < 0 ? -k : k] * x[j];
        }
        y[i] = v / sum;
    }
}

/* Pearson r; 0 for a constant estimate, NaN for a constant truth. */
VDI__FN double vdi__score_pearson(int64_t n, const double *p, const double *z) {
    double pm = 0, zm = 0, pp = 0, zz = 0, pz = 0;
    for (int64_t i = 0; i < n; i++) {
        pm += p[i];
        zm += z[i];
    }
    pm /= (double)n;
    zm /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        const double a = p[i] - pm, b = z[i] - zm;
        pp += a * a;
        zz += b * b;
        pz += a * b;
    }
    if (!(zz > 0)) return HUGE_VAL - HUGE_VAL;
    if (pp <= 1e-24 * (double)n * pm * pm) return 0; /* rounding of a constant, no signal */
    return pz / sqrt(pp * zz);
}

typedef struct vdi__score_pair {
    double p, z;
} vdi__score_pair;
VDI__FN int vdi__score_pair_order(const void *a, const void *b) {
    const double x = ((const vdi__score_pair *)a)->p, y = ((const vdi__score_pair *)b)->p;
    return (x > y) - (x < y);
}

/* The rank sum of the bins with a spike (Mann and Whitney); ties share their mean rank. */
VDI__FN double vdi__score_auc(int64_t n, vdi__score_pair *x) {
    double ranks = 0, positive = 0;
    qsort(x, (size_t)n, sizeof *x, vdi__score_pair_order);
    for (int64_t i = 0, j; i < n; i = j) {
        double hits = 0;
        for (j = i; j < n && !(x[j].p > x[i].p); j++)
            hits += x[j].z > 0;
        ranks += hits * (0.5 * (double)(i + j - 1) + 1);
        positive += hits;
    }
    const double negative = (double)n - positive;
    if (!(positive > 0 && negative > 0)) return HUGE_VAL - HUGE_VAL;
    return (ranks - 0.5 * positive * (positive + 1)) / (positive * negative);
}

/* A neuron on its way: all trials one behind the other. */
typedef struct vdi__score_neuron {
    int64_t trials, samples, bins;
    const vdi_score_train *trial;
    double *fine, *fine_truth;     /* (samples): the grid */
    double *smooth, *smooth_truth; /* (samples) */
    double *coarse, *coarse_truth; /* (bins) of 40 ms */
} vdi__score_neuron;

/* Pearson r after smoothing each trial, on the grid or on the bins. */
VDI__FN double vdi__score_correlation(const vdi__score_neuron *u, bool fine, double sigma) {
    const double *p = fine ? u->fine : u->coarse, *z = fine ? u->fine_truth : u->coarse_truth;
    int64_t at = 0;
    for (int64_t i = 0; i < u->trials; i++) {
        const int64_t samples = vdi__score_grid(&u->trial[i]);
        const int64_t n = fine ? samples : samples / VDI__SCORE_BIN;
        vdi__score_smooth(n, sigma, p + at, u->smooth + at);
        vdi__score_smooth(n, sigma, z + at, u->smooth_truth + at);
        at += n;
    }
    return vdi__score_pearson(at, u->smooth, u->smooth_truth);
}

/* r160g after moving the estimate by whole bins: both sides are there, smoothed. */
VDI__FN void vdi__score_delays(const vdi__score_neuron *u, double *r) {
    const int64_t n = u->bins;
    double *moved = u->smooth + n;
    for (int k = 0; k < VDI_SCORE_DELAYS; k++) {
        const int64_t by = (int64_t)(k - VDI_SCORE_DELAYS / 2);
        for (int64_t i = 0; i < n; i++)
            moved[i] = u->smooth[((i - by) % n + n) % n];
        r[k] = vdi__score_pearson(n, moved, u->smooth_truth);
    }
}

/* One trial onto the grid and into the bins, behind those before it. */
VDI__FN void vdi__score_take(const vdi__score_neuron *u, const vdi_score_train *q, int64_t at,
                             int64_t bin) {
    const int64_t samples = vdi__score_grid(q), bins = samples / VDI__SCORE_BIN;
    if (samples < 1) return;
    vdi__score_estimate(q, samples, u->fine + at);
    vdi__score_truth(q, samples, VDI__SCORE_STEP, u->fine_truth + at);
    for (int64_t i = 0; i < bins; i++) {
        const double *from = u->fine + at + VDI__SCORE_BIN * i;
        u->coarse[bin + i] = from[0] + from[1] + from[2] + from[3];
    }
    if (bins > 0) {
        vdi__score_truth(q, bins, (double)VDI__SCORE_BIN * VDI__SCORE_STEP, u->coarse_truth + bin);
    }
}

VDI__FN vdi_status vdi__score_measure(vdi__score_neuron *u, vdi_error *err) {
    static const char where[] = "vdi_score_spikes";
    for (int64_t i = 0; i < u->trials; i++) {
        const double fps = u->trial[i].fps;
        if (!(fps > 0 && fps < 1e9)) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "trial %lld has %g frames per second", (long long)i, fps);
        }
        if (vdi__score_grid(&u->trial[i]) < 0) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "trial %lld lasts %g s, expected less than 1e10", (long long)i,
                                 (double)u->trial[i].frames / fps);
        }
        u->samples += vdi__score_grid(&u->trial[i]);
        u->bins += vdi__score_grid(&u->trial[i]) / VDI__SCORE_BIN;
    }
    if (u->bins < 1)
        return vdi_error_set(err, VDI_ERR_DATA, where, "no bin of 40 ms fits into the trials");
    return VDI_OK;
}

VDI__DEF vdi_status vdi_score_spikes(int64_t trials, const vdi_score_train *trial, double *work,
                                     vdi_score_spikes_result *out, vdi_error *err) {
    vdi_score_spikes_result r = VDI__ZERO;
    vdi__score_neuron u = VDI__ZERO;
    u.trials = trials;
    u.trial = trial;
    const vdi_status status = vdi__score_measure(&u, err);
    if (status < 0) return status;
    u.fine = work;
    u.fine_truth = u.fine + u.samples;
    u.smooth = u.fine_truth + u.samples;
    u.smooth_truth = u.smooth + u.samples;
    u.coarse = u.smooth_truth + u.samples;
    u.coarse_truth = u.coarse + u.bins;
    int64_t at = 0, bin = 0;
    for (int64_t i = 0; i < trials; i++) {
        for (int64_t k = 0; k < trial[i].frames; k++) {
            r.expected += vdi__score_value(&trial[i], k);
            r.nonfinite += !vdi__is_finite(trial[i].estimate[k]);
        }
        vdi__score_take(&u, &trial[i], at, bin);
        at += vdi__score_grid(&trial[i]);
        bin += vdi__score_grid(&trial[i]) / VDI__SCORE_BIN;
    }
    double found = 0;
    for (int64_t i = 0; i < u.bins; i++) {
        r.spikes += (int64_t)u.coarse_truth[i];
        found += u.coarse[i];
    }
    r.bins = u.bins;
    r.count = r.spikes ? found / (double)r.spikes : (double)NAN;
    r.r25 = vdi__score_pearson(u.bins, u.coarse, u.coarse_truth);
    r.r40g = vdi__score_correlation(&u, false, 1);
    r.r160g = vdi__score_correlation(&u, false, 4);
    vdi__score_delays(&u, r.delayed);
    r.c25 = vdi__score_correlation(&u, true, 2.5);
    r.c50 = vdi__score_correlation(&u, true, 5);
    r.c100 = vdi__score_correlation(&u, true, 10);
    r.c200 = vdi__score_correlation(&u, true, 20);
    vdi__score_pair *pairs = (vdi__score_pair *)(void *)u.smooth;
    for (int64_t i = 0; i < u.bins; i++) {
        pairs[i].p = u.coarse[i];
        pairs[i].z = u.coarse_truth[i];
    }
    r.auc = vdi__score_auc(u.bins, pairs);
    *out = r;
    return VDI_OK;
}
#endif
