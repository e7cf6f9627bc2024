/* model/oasis/oasis.h - non-negative and sparse deconvolution of calcium traces by active sets
 * (Friedrich, Zhou, Paninski 2017)
 *
 * Do this:
 *     vdi_oasis_desc desc = vdi_oasis_desc_defaults();
 *     vdi_oasis_result r;
 *     desc.fps = 30;   everything else is estimated from the trace
 *     if (vdi_oasis(&desc, VDI_F32, T, trace, NULL, calcium, spikes, &r, &err) < 0)
 *         puts(err.message);
 *     printf("noise %g, baseline %g, decay %g s\n", r.noise, r.baseline, r.tau_decay);
 *
 * The trace is baseline + calcium + noise, and calcium is driven by spikes of any size >= 0:
 *     order 1:  c_t = d c_{t-1} + s_t,  d = exp(-1/(fps tau_decay))
 *     order 2:  c_t = (d + r) c_{t-1} - d r c_{t-2} + s_t,
 *     r = exp(-1/(fps tau_rise)): it rises before it decays
 * What is minimised, over c and (unless it is given) the baseline b:
 *     L1   1/2 |y - b - c|^2 + lambda sum_t s_t,  s >= 0; with lambda given, or the lambda at which
 *          |y - b - c|^2 = noise^2 T: then it is the sparsest trace in this sense that explains all
 *          but the noise. If even lambda = 0 leaves more than that, lambda is 0; if no spike at all
 *          leaves less, there is none.
 *     L0   |y - b - c|^2 with every s_t either 0 or >= s_min; s_min given, or the largest that
 *          leaves no more than noise^2 T.
 *
 * Which variants are exact:
 *     L1, order 1   EXACT: pools (a weighted isotonic regression), each merged in constant time;
 *                   lambda and b by solving the two equations of the pools in closed form until the
 *                   pools stand still (a semismooth Newton iteration).
 *     L1, order 2   EXACT to a relative duality gap of 1e-10: primal-dual interior point on the
 *                   pentadiagonal system, O(T) per step; lambda by secants until |r|^2 is noise^2 T
 *                   to 1e-7.
 *     L0, any order GREEDY: pools once from left to right, merged where a spike is below s_min.
 *     Good as a rule, with no guarantee.
 * With lambda = 0 and no baseline given, b is not identifiable (calcium can replace it): it is then
 * the 15th percentile of the trace. Spikes are in units of the trace; s_0 is reported as 0, since
 * the calcium of the first frame comes from before it (r.start has it).
 *
 * Estimated where not given: the noise from the upper half of the spectrum (Welch 1967) or from the
 * median of differences; the time constants from the autocovariance by Yule and Walker's equations
 * (Pnevmatikakis et al. 2016), the roots times `fudge` against their upward bias; refined on the
 * largest events with desc.refine. A constant trace has no spikes.
 *
 * Frames without a finite number are missing: noise and time constants come from those that were
 * measured. Gaps of up to a tenth of a second (or of three frames) are bridged by a line; over a
 * longer one calcium decays to the baseline, so that nothing happens in it.
 *
 * What it does NOT do: counts (the scale of a spike is unknown), neuropil, drifting baselines
 * (subtract a running one first). Memory: the caller's block of vdi_oasis_worksize(T) bytes, or one
 * allocation. Cost O(T): docs/guide/oasis.md. Threads: pure.
 */
#ifndef VDI_MODEL_OASIS_OASIS_H
#define VDI_MODEL_OASIS_OASIS_H
#include "../../core/alloc.h"
#include "../../core/field.h"
#include "../../core/tensor.h"

/** What makes the spikes sparse. */
typedef enum vdi_oasis_penalty {
    VDI_OASIS_L1 = 0, /**< the sum of the spikes: convex, solved exactly */
    VDI_OASIS_L0      /**< a least spike size: greedy */
} vdi_oasis_penalty;
/** How the noise is estimated. */
typedef enum vdi_oasis_noise {
    VDI_OASIS_SPECTRUM = 0, /**< mean power above half of the Nyquist frequency */
    VDI_OASIS_MAD           /**< 1.4826 median |y_{t+1} - y_t| / sqrt 2 */
} vdi_oasis_noise;

/** What to do. All zero: order 1, L1, everything estimated, free baseline. */
typedef struct vdi_oasis_desc {
    double fps;                   /**< frames per second; 0 means 1 (then time constants are in
                                       frames) */
    int order;                    /**< 1 or 2; 0 means 1 */
    double tau_decay, tau_rise;   /**< seconds; 0: estimated. tau_rise is for order 2 */
    vdi_oasis_penalty penalty;    /**< L1 or L0 */
    bool has_lambda;              /**< L1: lambda is given, also as 0 (plain non-negative
                                       deconvolution) */
    double lambda;                /**< in units of the trace */
    double s_min;                 /**< L0: least spike; negative: in units of the noise; 0: from the
                                       noise */
    bool has_baseline;            /**< the baseline is given */
    double baseline;              /**< in units of the trace */
    bool baseline_nonneg;         /**< an estimated baseline is at least 0 (wrong for dF/F, right
                                       for raw fluorescence) */
    double noise;                 /**< standard deviation; 0: estimated */
    vdi_oasis_noise noise_method; /**< how */
    double fudge;                 /**< factor on estimated roots; 0 means 0.98, the peers' habit */
    int refine;                   /**< order 1: refit the decay to this many large, isolated events,
                                       some rounds; 0: no */
    vdi_allocator allocator;      /**< where `work` is NULL; default malloc */
} vdi_oasis_desc;

/** What was found. */
typedef struct vdi_oasis_result {
    double baseline, noise;     /**< in units of the trace */
    double decay, rise;         /**< the roots d and r, per frame; rise is 0 for order 1 */
    double tau_decay, tau_rise; /**< the same in seconds */
    double lambda, s_min;       /**< the one that was used, the other 0 */
    double start;               /**< calcium of frame 0 */
    double residual;            /**< |y - b - c|^2 */
    double objective;           /**< 1/2 residual + lambda (start + sum of spikes) for L1 */
    int64_t events;             /**< spikes > 0 */
    int64_t bridged;            /**< frames without a finite number */
    int iterations;             /**< solves of the inner problem */
} vdi_oasis_result;

/** Its fields: defaults, ranges, text (core/field.h). */
VDI_API const vdi_fields *vdi_oasis_desc_fields(void);
/** The filled description. */
VDI_API vdi_oasis_desc vdi_oasis_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_oasis_desc_check(const vdi_oasis_desc *desc, vdi_error *err);
/** Bytes of `work` for traces of up to T frames. */
VDI_API size_t vdi_oasis_worksize(int64_t T);
/** Deconvolve y (T) of `dtype`. calcium and spikes (T), dtype, each may be NULL; *out may be NULL;
 * `work` NULL allocates. VDI_ERR_DATA:
 *  fewer than 4 finite frames. VDI_NOT_CONVERGED: a legal answer whose lambda or baseline is not
 *  the wanted one to 1e-9. */
VDI_API VDI_NODISCARD vdi_status vdi_oasis(const vdi_oasis_desc *desc, vdi_dtype dtype, int64_t T,
                                           const void *y, void *work, void *calcium, void *spikes,
                                           vdi_oasis_result *out, vdi_error *err);
/** Standard deviation of the noise of y (T) without NaN, as VDI_OASIS_SPECTRUM estimates it; work:
 * T doubles at least (for MAD). */
VDI_API double vdi_oasis_noise_of(vdi_oasis_noise method, int64_t T, const double *y, double *work);

#endif /* VDI_MODEL_OASIS_OASIS_H */

#if defined(VDI__BODIES) && defined(VDI_OASIS_IMPLEMENTATION) && !defined(VDI_MODEL_OASIS_OASIS_C)
#define VDI_MODEL_OASIS_OASIS_C

/* A run of frames without a spike (order 1), or between two of them (order 2). */
typedef struct vdi__oasis_pool {
    double num, den, v;
    int64_t start, length;
} vdi__oasis_pool;

/* One trace on its way through the solvers. */
typedef struct vdi__oasis {
    vdi_oasis_desc desc; /* filled */
    int64_t T, pools;
    int64_t bridged, idle; /* frames that were not measured; those of them in long gaps */
    int solves;
    bool held; /* b is not free */
    double d, r, d0, lambda, b, noise, s_min, residual;
    double *y, *c, *power, *power2, *aux[12]; /* (T) each; power[k] = d^k, power2[k] = r^k */
    vdi__oasis_pool *pool;                    /* (T) */
} vdi__oasis;

/* What a search for lambda and b ends with. */
typedef struct vdi__oasis_order {
    bool (*solve)(vdi__oasis *o);  /* L1; false: lambda and b did not settle */
    void (*greedy)(vdi__oasis *o); /* L0 at o->s_min and o->b */
} vdi__oasis_order;

VDI__FN double vdi__oasis_rss(const vdi__oasis *o) {
    double sum = 0;
    for (int64_t t = 0; t < o->T; t++) {
        const double r = o->y[t] - o->b - o->c[t];
        sum += r * r;
    }
    return sum;
}

/* |y - b - c|^2 that noise alone leaves. What was bridged by a line has the mean of its two ends'
 * noise, and a long gap none. */
VDI__FN double vdi__oasis_target(const vdi__oasis *o) {
    const double lines = (double)(o->bridged - o->idle);
    return o->noise * o->noise * ((double)(o->T - o->bridged) + 0.5 * lines);
}

/* The k-th smallest of x (n), which is reordered (Hoare 1961). */
VDI__FN double vdi__oasis_select(int64_t n, double *x, int64_t k) {
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const double pivot = x[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i > j) break;
            const double t = x[i];
            x[i++] = x[j];
            x[j--] = t;
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            break;
    }
    return x[k];
}

#endif
