/* model/score/spikes.h - how well spikes were found: correlation in 40 ms bins, smoothed ones, and
 * the ROC area
 *
 * Do this:
 *     vdi_score_train trial = {frames, fps, estimate, times, spikes};   estimate (frames), times (spikes) in seconds
 *     double *work = malloc(vdi_score_spikes_work(1, &trial) * sizeof *work);
 *     vdi_score_spikes_result r;
 *     if (vdi_score_spikes(1, &trial, work, &r, &err) == VDI_OK)
 *         printf("r25 %.3f, AUC %.3f\n", r.r25, r.auc);
 *
 * The protocol is Spikefinder's (Berens et al. 2018), one neuron at a time, its trials one behind
 * the other:
 *   r25    Pearson r in 40 ms bins. The estimate (value x fps) is interpolated linearly on a grid
 *          of 100 Hz that starts at frame 0, four samples are summed; the true times are counted in
 *          the same bins, edges at 40 k - 5 ms
 *   r40g, r160g   both sides smoothed per trial with a Gaussian of standard deviation 40 or 160 ms
 *                 (cut at 4, ends mirrored)
 *   auc    area under the ROC curve of the bins, spike or no spike, ties count half
 * No measure depends on the scale of the estimate. NaN and infinite values count as 0. A constant
 * estimate has r = 0 and AUC 0.5, so that giving up never helps. Time 0 is the centre of frame 0.
 *
 * What it does NOT do: means over neurons and data sets, the best delay, information gain. Memory:
 * the caller's. Threads: pure.
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

/** Scores of a neuron; NaN where the truth has no spike (or, for auc, one in every bin). */
typedef struct vdi_score_spikes_result {
    double r25;        /**< correlation in bins of 40 ms */
    double r40g;       /**< after a Gaussian of sigma 40 ms */
    double r160g;      /**< after one of 160 ms */
    double auc;        /**< area under the ROC curve: bins with a spike against bins without */
    double expected;   /**< sum of the estimate */
    int64_t spikes;    /**< true spikes inside of the bins */
    int64_t bins;      /**< of 40 ms */
    int64_t nonfinite; /**< values of the estimate that count as 0 */
} vdi_score_spikes_result;

/** Doubles of `work`. */
VDI_API size_t vdi_score_spikes_work(int64_t trials, const vdi_score_train *trial);
/** Score a neuron. VDI_ERR_ARGUMENT for an fps that is not positive, VDI_ERR_DATA if no bin of 40
 * ms fits in. */
VDI_API VDI_NODISCARD vdi_status vdi_score_spikes(int64_t trials, const vdi_score_train *trial,
                                                  double *work, vdi_score_spikes_result *out,
                                                  vdi_error *err);
/** Times of counts per frame (frames), n spikes of a frame spread evenly over it: times (sum of
 * counts) or NULL to count only. Returns how
 *  many there are; counts that are NaN or negative are none. */
VDI_API int64_t vdi_score_spikes_times(int64_t frames, double fps, const double *counts,
                                       double *times);

#endif /* VDI_MODEL_SCORE_SPIKES_H */

#if defined(VDI__BODIES) && defined(VDI_SCORE_IMPLEMENTATION) && !defined(VDI_MODEL_SCORE_SPIKES_C)
#define VDI_MODEL_SCORE_SPIKES_C

/* Samples of a 100 Hz grid over the trial: 0, 0.01, ... below the centre of the last frame. */
VDI__FN int64_t vdi__score_grid(const vdi_score_train *q) {
    const double n = q->frames > 1 ? ceil((double)(q->frames - 1) / q->fps / 0.01) : 0;
    return n > 0 ? (int64_t)n : 0;
}

VDI__DEF size_t vdi_score_spikes_work(int64_t trials, const vdi_score_train *trial) {
    size_t bins = 0;
    for (int64_t i = 0; i < trials; i++)
        if (trial[i].fps > 0) bins += (size_t)(vdi__score_grid(&trial[i]) / 4);
    return 4 * bins + 1;
}

VDI__DEF int64_t vdi_score_spikes_times(int64_t frames, double fps, const double *counts,
                                        double *times) {
    int64_t n = 0;
    for (int64_t k = 0; k < frames; k++) {
        const int64_t c = counts[k] >= 0.5 ? (int64_t)floor(counts[k] + 0.5) : 0;
        for (int64_t j = 0; j < c && times; j++)
            times[n + j] = ((double)k - 0.5 + ((double)j + 0.5) / (double)c) / fps;
        n += c;
    }
    return n;
}

VDI__FN double vdi__score_value(const vdi_score_train *q, int64_t k) {
    return isfinite(q->estimate[k]) ? q->estimate[k] : 0;
}

VDI__FN void vdi__score_bin(const vdi_score_train *q, int64_t bins, double *p, double *z) {
    double least = vdi__score_value(q, 0), most = least;
    for (int64_t k = 1; k < q->frames; k++) {
        const double v = vdi__score_value(q, k);
        least = VDI__MIN(least, v);
        most = VDI__MAX(most, v);
    }
    int64_t frame = 0;
    for (int64_t i = 0; i < bins; i++) {
        double sum = 0;
        for (int64_t j = 4 * i; j < 4 * i + 4; j++) {
            const double time = (double)j * 0.01;
            while (frame + 2 < q->frames && (double)(frame + 1) / q->fps <= time)
                frame++;
            const double x0 = (double)frame / q->fps, x1 = (double)(frame + 1) / q->fps;
            const double a = vdi__score_value(q, frame) * q->fps;
            const double b = vdi__score_value(q, frame + 1) * q->fps;
            sum += (a + (b - a) / (x1 - x0) * (time - x0)) * 0.01;
        }
        /* a constant stays exactly constant: rounding has no rank */
        p[i] = least < most ? sum : least * q->fps * 0.04;
        z[i] = 0;
    }
    for (int64_t s = 0; s < q->spikes; s++) {
        const double t = q->times[s];
        if (!(t >= -1 && t <= (double)bins * 0.04 + 1)) continue;
        int64_t i = (int64_t)floor((t + 0.005) / 0.04);
        while (i > 0 && t < (double)i * 0.04 - 0.005)
            i--;
        while (t >= (double)(i + 1) * 0.04 - 0.005)
            i++;
        /* the last edge belongs to the last bin */
        if (i == bins && t == (double)bins * 0.04 - 0.005) i--;
        if (i >= 0 && i < bins && t >= (double)i * 0.04 - 0.005) z[i] += 1;
    }
}

/* y = x smoothed with a Gaussian of `sigma` bins, cut at 4 sigma, mirrored at the ends: d c b a | a
 * b c d | d c b a */
VDI__FN void vdi__score_smooth(int64_t n, int sigma, const double *x, double *y) {
    enum { MOST = 16 };
    double w[MOST + 1], sum = 0;
    const int radius = 4 * sigma;
    for (int k = 0; k <= radius; k++) {
        w[k] = exp(-0.5 * (double)(k * k) / (double)(sigma * sigma));
        sum += k ? 2 * w[k] : w[k];
    }
    for (int64_t i = 0; i < n; i++) {
        double v = 0;
        for (int k = -radius; k <= radius; k++) {
            int64_t j = (i + k) % (2 * n);
            if (j < 0) j += 2 * n;
            if (j >= n) j = 2 * n - 1 - j;
            v += w[k < 0 ? -k : k] * x[j];
        }
        y[i] = v / sum;
    }
}

/* Pearson r; 0 for a constant estimate, NaN for a constant truth. */
VDI__FN double vdi__score_pearson(int64_t n, const double *p, const double *z) {
    double pm = 0;
    double zm = 0;
    double pp = 0;
    double zz = 0;
    double pz = 0;
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

VDI__DEF vdi_status vdi_score_spikes(int64_t trials, const vdi_score_train *trial, double *work,
                                     vdi_score_spikes_result *out, vdi_error *err) {
    static const char where[] = "vdi_score_spikes";
    vdi_score_spikes_result r = VDI__ZERO;
    for (int64_t i = 0; i < trials; i++) {
        if (!(trial[i].fps > 0 && trial[i].fps < 1e9)) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "trial %lld has %g frames per second", (long long)i, trial[i].fps);
        }
        r.bins += vdi__score_grid(&trial[i]) / 4;
    }
    if (r.bins < 1)
        return vdi_error_set(err, VDI_ERR_DATA, where, "no bin of 40 ms fits into the trials");
    double *p = work;
    double *z = p + r.bins;
    double *ps = z + r.bins;
    double *zs = ps + r.bins;
    double *const score[2] = {&r.r40g, &r.r160g};
    int64_t at = 0;
    for (int64_t i = 0; i < trials; i++) {
        const int64_t bins = vdi__score_grid(&trial[i]) / 4;
        for (int64_t k = 0; k < trial[i].frames; k++) {
            r.expected += vdi__score_value(&trial[i], k);
            r.nonfinite += !isfinite(trial[i].estimate[k]);
        }
        if (bins > 0) vdi__score_bin(&trial[i], bins, p + at, z + at);
        at += bins;
    }
    for (int64_t i = 0; i < r.bins; i++)
        r.spikes += (int64_t)z[i];
    r.r25 = vdi__score_pearson(r.bins, p, z);
    for (int k = 0; k < 2; k++) {
        at = 0;
        for (int64_t i = 0; i < trials; i++) {
            const int64_t bins = vdi__score_grid(&trial[i]) / 4;
            vdi__score_smooth(bins, k ? 4 : 1, p + at, ps + at);
            vdi__score_smooth(bins, k ? 4 : 1, z + at, zs + at);
            at += bins;
        }
        *score[k] = vdi__score_pearson(r.bins, ps, zs);
    }
    vdi__score_pair *pairs = (vdi__score_pair *)(void *)ps;
    for (int64_t i = 0; i < r.bins; i++) {
        pairs[i].p = p[i];
        pairs[i].z = z[i];
    }
    r.auc = vdi__score_auc(r.bins, pairs);
    *out = r;
    return VDI_OK;
}
#endif
