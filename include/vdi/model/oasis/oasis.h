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
 * With lambda = 0 and no baseline given, b has no say (calcium can stand in for it): it is then the
 * 15th percentile of the trace. Spikes are in units of the trace; s_0 is reported as 0, since the
 * calcium of the first frame comes from before it (r.start has it).
 *
 * Estimated where not given: the noise from the upper half of the spectrum (Welch 1967) or from the
 * median of differences; the time constants from the autocovariance by Yule and Walker's equations
 * (Pnevmatikakis et al. 2016), the roots times `fudge` against their upward bias; refined on the
 * largest events with desc.refine. NaN frames are bridged by a line. A constant trace is an error.
 *
 * What it does NOT do: counts (the scale of a spike is unknown), neuropil, drifting baselines
 * (subtract a running one first). Memory: the caller's block of vdi_oasis_worksize(T) bytes, or one
 * allocation. Cost O(T): docs/oasis.md. Threads: pure.
 */
#ifndef VDI_MODEL_OASIS_OASIS_H
#define VDI_MODEL_OASIS_OASIS_H
#include "../../core/alloc.h"
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
    int64_t bridged;            /**< NaN frames */
    int iterations;             /**< solves of the inner problem */
} vdi_oasis_result;

/** The filled description. */
VDI_API vdi_oasis_desc vdi_oasis_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_oasis_desc_check(const vdi_oasis_desc *desc, vdi_error *err);
/** Bytes of `work` for traces of up to T frames. */
VDI_API size_t vdi_oasis_worksize(int64_t T);
/** Deconvolve y (T) of `dtype`. calcium and spikes (T), dtype, each may be NULL; *out may be NULL;
 * `work` NULL allocates. VDI_ERR_DATA:
 *  fewer than 4 finite frames, infinite ones, or a constant trace. VDI_NOT_CONVERGED: a legal
 *  answer whose lambda or baseline is not the wanted one to 1e-9. */
VDI_API VDI_NODISCARD vdi_status vdi_oasis(const vdi_oasis_desc *desc, vdi_dtype dtype, int64_t T,
                                           const void *y, void *work, void *calcium, void *spikes,
                                           vdi_oasis_result *out, vdi_error *err);
/** Standard deviation of the noise of y (T) without NaN, as VDI_OASIS_SPECTRUM estimates it; work:
 * T doubles at least (for MAD). */
VDI_API double vdi_oasis_noise_of(vdi_oasis_noise method, int64_t T, const double *y, double *work);

#endif /* VDI_MODEL_OASIS_OASIS_H */

#if defined(VDI__BODIES) && defined(VDI_OASIS_IMPLEMENTATION) && !defined(VDI_MODEL_OASIS_OASIS_C)
#define VDI_MODEL_OASIS_OASIS_C

VDI__DEF vdi_oasis_desc vdi_oasis_desc_defaults(void) {
    vdi_oasis_desc d = VDI__ZERO;
    d.fps = 1;
    d.order = 1;
    d.fudge = 0.98;
    d.allocator = vdi_allocator_defaults(NULL);
    return d;
}

VDI__DEF vdi_status vdi_oasis_desc_check(const vdi_oasis_desc *d, vdi_error *err) {
    static const char where[] = "vdi_oasis_desc";
    if (!(d->fps >= 0 && d->fps <= 1e9)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "fps is %g, expected more than 0 frames per second", d->fps);
    }
    if (d->order < 0 || d->order > 2) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "order is %d, expected 1 or 2",
                             d->order);
    }
    if (!(d->tau_decay >= 0 && d->tau_rise >= 0 && d->tau_decay < HUGE_VAL &&
          d->tau_rise < HUGE_VAL)) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, where,
            "tau_decay %g and tau_rise %g: expected seconds, or 0 to estimate them", d->tau_decay,
            d->tau_rise);
    }
    if ((unsigned)d->penalty > VDI_OASIS_L0 || (unsigned)d->noise_method > VDI_OASIS_MAD) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "penalty is %d and noise_method %d, expected 0 or 1", (int)d->penalty,
                             (int)d->noise_method);
    }
    if (d->has_lambda && !(d->lambda >= 0 && d->lambda < HUGE_VAL)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "lambda is %g, expected 0 or more",
                             d->lambda);
    }
    if (!isfinite(d->s_min) || (d->has_baseline && !isfinite(d->baseline))) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "s_min is %g and baseline %g: expected numbers", d->s_min,
                             d->has_baseline ? d->baseline : 0);
    }
    if (!(d->noise >= 0 && d->noise < HUGE_VAL)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "noise is %g, expected a standard deviation, or 0", d->noise);
    }
    if (!(d->fudge >= 0 && d->fudge <= 1)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "fudge is %g, expected 0 to 1",
                             d->fudge);
    }
    if (d->refine < 0 || d->refine > 1000) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "refine is %d, expected 0 to 1000",
                             d->refine);
    }
    return VDI_OK;
}

/* ======== noise and time constants ============================================================ */

enum { VDI__OASIS_SEGMENT = 256 };

/* In-place FFT of n = 2^k complex numbers (Cooley and Tukey 1965); turn[k] = cos, turn[n/2 + k] =
 * sin of 2 pi k/n. */
VDI__FN void vdi__oasis_fft(int n, const double *turn, double *re, double *im) {
    for (int i = 1, j = 0; i < n; i++) {
        int bit = n >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            const double a = re[i], b = im[i];
            re[i] = re[j];
            im[i] = im[j];
            re[j] = a;
            im[j] = b;
        }
    }
    for (int len = 2; len <= n; len <<= 1) {
        for (int i = 0; i < n; i += len) {
            for (int k = 0; k < len / 2; k++) {
                const double c = turn[k * (n / len)], s = -turn[n / 2 + k * (n / len)];
                const int g = i + k, h = g + len / 2;
                const double a = re[h] * c - im[h] * s, b = re[h] * s + im[h] * c;
                re[h] = re[g] - a;
                im[h] = im[g] - b;
                re[g] += a;
                im[g] += b;
            }
        }
    }
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

VDI__DEF double vdi_oasis_noise_of(vdi_oasis_noise method, int64_t T, const double *y,
                                   double *work) {
    if (T < 4) return 0;
    if (method == VDI_OASIS_MAD) {
        for (int64_t t = 0; t + 1 < T; t++)
            work[t] = fabs(y[t + 1] - y[t]);
        const double median = 0.5 * (vdi__oasis_select(T - 1, work, (T - 1) / 2) +
                                     vdi__oasis_select(T - 1, work, (T - 2) / 2));
        return 1.4826 * median / sqrt(2.0);
    }
    /* Two real segments go through one complex transform. Half overlap, Hann window, each segment's
     * own mean taken off. */
    double re[VDI__OASIS_SEGMENT];
    double im[VDI__OASIS_SEGMENT];
    double window[VDI__OASIS_SEGMENT];
    double turn[VDI__OASIS_SEGMENT];
    double power = 0;
    double weight = 0;
    int n = 4;
    while (n < VDI__OASIS_SEGMENT && 2 * n <= T)
        n *= 2;
    for (int i = 0; i < n; i++) {
        window[i] = 0.5 - 0.5 * cos(2 * VDI_PI * i / n);
        weight += window[i] * window[i];
        turn[i] = i < n / 2 ? cos(2 * VDI_PI * i / n) : sin(2 * VDI_PI * (i - n / 2) / n);
    }
    const int64_t segments = (T - n) / (n / 2) + 1;
    for (int64_t s = 0; s < segments; s += 2) {
        for (int half = 0; half < 2; half++) {
            double *x = half ? im : re, mean = 0;
            const double *from = y + (s + half) * (n / 2);
            if (s + half >= segments) {
                memset(x, 0, sizeof re);
            } else {
                for (int i = 0; i < n; i++)
                    mean += from[i] / n;
                for (int i = 0; i < n; i++)
                    x[i] = (from[i] - mean) * window[i];
            }
            if (half == 0) continue;
            vdi__oasis_fft(n, turn, re, im);
            for (int k = n / 4 + 1; k <= n / 2; k++) {
                /* |X|^2 of both: the even and odd parts of the spectrum */
                const int j = n - k;
                /* a one-sided density counts all but the last twice */
                const double twice = k == n / 2 ? 0.5 : 1;
                power +=
                    twice * 0.5 * (re[k] * re[k] + im[k] * im[k] + re[j] * re[j] + im[j] * im[j]);
            }
        }
    }
    return sqrt(power / ((double)segments * weight * (n / 4)));
}

/* Roots from the autocovariance x_0..x_lags of y: x_{k+1} = sum_j g_j (x_{|k-j|} - noise^2 [k =
 * j]), least squares over k < lags. */
VDI__FN void vdi__oasis_roots(int order, int64_t T, const double *y, double noise, double fudge,
                              double *decay, double *rise) {
    enum { LAGS = 10 };
    double x[LAGS + 2];
    double mean = 0;
    double a = 0;
    double b = 0;
    double c = 0;
    double p = 0;
    double q = 0;
    const int lags = (int)VDI__MIN((int64_t)LAGS, T - 2);
    for (int64_t t = 0; t < T; t++)
        mean += y[t] / (double)T;
    for (int k = 0; k <= lags; k++) {
        x[k] = 0;
        for (int64_t t = k; t < T; t++)
            x[k] += (y[t] - mean) * (y[t - k] - mean);
        x[k] /= (double)T;
    }
    for (int k = 0; k < lags; k++) {
        const double u = x[k] - (k == 0 ? noise * noise : 0);
        const double v = k ? x[k - 1] - (k == 1 ? noise * noise : 0) : x[1];
        a += u * u;
        b += u * v;
        c += v * v;
        p += u * x[k + 1];
        q += v * x[k + 1];
    }
    *rise = 0;
    if (order == 1) {
        *decay = a > 0 ? p / a : 0.9;
    } else {
        const double det = a * c - b * b;
        const double g1 = det > 0 ? (c * p - b * q) / det : 0.9;
        const double g2 = det > 0 ? (a * q - b * p) / det : 0;
        /* complex roots: their real part, twice */
        const double disc = g1 * g1 + 4 * g2, root = disc > 0 ? sqrt(disc) : 0;
        *decay = 0.5 * (g1 + root);
        *rise = 0.5 * (g1 - root);
    }
    if (!(*decay < 1)) *decay = 0.95;
    if (!(*decay > 0.15)) *decay = 0.15;
    *decay *= fudge;
    if (order == 2) {
        if (!(*rise > 0)) *rise = 0.01;
        *rise = VDI__MIN(*rise * fudge, *decay - 1e-3);
        if (!(*rise > 0)) *rise = 0.01 * *decay;
    }
}

/* ======== order 1: pools =========================================================================
 * With c_t = d^t x_t the problem is an isotonic regression of x with weights d^{2t}; a pool is a
 * run of frames without a spike. Its first value is v = num / den, num = sum d^k (y - b -
 * mu)_{t+k}, den = sum d^{2k}, mu the slope of lambda sum s: lambda (1 - d), and lambda at the last
 * frame. Merging adds d^l times num and d^2l times den of the later pool. Where v <= 0, calcium
 * is 0. */

typedef struct vdi__oasis_pool {
    double num, den, v;
    int64_t start, length;
} vdi__oasis_pool;

typedef struct vdi__oasis {
    const vdi_oasis_desc *desc;
    int64_t T, pools;
    int order, solves;
    bool held; /* b is not free */
    double d, r, d0, lambda, b, noise, s_min, residual;
    double *y, *c, *power, *power2, *aux[12]; /* (T) each; power[k] = d^k, power2[k] = r^k */
    vdi__oasis_pool *pool;                    /* (T) */
} vdi__oasis;

VDI__FN void vdi__oasis_powers(double d, int64_t T, double *power) {
    double p = 1;
    for (int64_t k = 0; k <= T; k++) {
        power[k] = p;
        p *= d;
        if (p < 1e-150) p = 0; /* nobody needs denormal powers, and they are slow */
    }
}

VDI__FN void vdi__oasis_pools(vdi__oasis *o) {
    const double d = o->d;
    const double *power = o->power;
    const double *y = o->y;
    const double mu = o->b + o->lambda * (1 - d);
    const double s_min = o->s_min;
    vdi__oasis_pool *top = o->pool;
    o->solves++;
    for (int64_t t = 0; t < o->T; t++) {
        double num = t + 1 < o->T ? y[t] - mu : y[t] - o->b - o->lambda, den = 1, v = num;
        int64_t start = t, length = 1;
        while (top > o->pool) {
            const vdi__oasis_pool *before = top - 1;
            const double f = power[before->length];
            if (v >= f * before->v + s_min) break;
            num = before->num + f * num;
            den = before->den + f * f * den;
            v = num / den;
            start = before->start;
            length += before->length;
            top--;
        }
        if (s_min > 0 && v < 0) v = 0; /* a greedy spike is measured from calcium as it will be */
        top->num = num;
        top->den = den;
        top->v = v;
        top->start = start;
        top->length = length;
        top++;
    }
    o->pools = top - o->pool;
}

VDI__FN void vdi__oasis_fill1(vdi__oasis *o) {
    for (int64_t i = 0; i < o->pools; i++) {
        const vdi__oasis_pool *p = &o->pool[i];
        const double v = VDI__MAX(p->v, 0);
        for (int64_t k = 0; k < p->length; k++)
            o->c[p->start + k] = v * o->power[k];
    }
}

/* The pools standing, residual and its sum are closed forms in lambda and b. With N = sum d^k y,
 * S = sum d^k, W = sum d^2k, M = sum d^k mu/lambda of each pool with calcium (others have no terms
 * but their own y):
 *     sum r = A - B b + C lambda,  |r|^2 = P - 2 A b + B b^2 + Q lambda^2
 *     A = sum y - sum N S/W,  B = T - sum S^2/W,  C = sum M S/W,  P = sum y^2 - sum N^2/W,
 *     Q = sum M^2/W. */
typedef struct vdi__oasis_form {
    double A, B, C, P, Q;
} vdi__oasis_form;
VDI__FN vdi__oasis_form vdi__oasis_closed(const vdi__oasis *o, double sum, double squares) {
    vdi__oasis_form f;
    f.A = sum;
    f.B = (double)o->T;
    f.C = 0;
    f.P = squares;
    f.Q = 0;
    for (int64_t i = 0; i < o->pools; i++) {
        const vdi__oasis_pool *p = &o->pool[i];
        if (!(p->v > 0)) continue;
        const double M = p->start + p->length < o->T ? 1 - o->power[p->length] : 1;
        const double S = (1 - o->power[p->length]) / (1 - o->d);
        const double N = p->num + o->b * S + o->lambda * M, w = 1 / p->den;
        f.A -= N * S * w;
        f.B -= S * S * w;
        f.C += M * S * w;
        f.P -= N * N * w;
        f.Q += M * M * w;
    }
    return f;
}

VDI__FN double vdi__oasis_target(const vdi__oasis *o) { return o->noise * o->noise * (double)o->T; }

/* The best b for a given lambda, the pools standing. */
VDI__FN double vdi__oasis_best_b(const vdi__oasis *o, const vdi__oasis_form *f, double lambda) {
    if (o->held) return o->b;
    double b = f->B > 1e-9 * (double)o->T ? (f->A + f->C * lambda) / f->B : o->b;
    if (o->desc->baseline_nonneg && b < 0) b = 0;
    return b;
}

/* Solve for b at o->lambda: Newton's iteration on a piecewise linear function; false if it
 * circled. */
VDI__FN bool vdi__oasis_settle_b(vdi__oasis *o, double sum, double squares, vdi__oasis_form *f,
                                 double scale) {
    double low = -HUGE_VAL, high = HUGE_VAL;
    for (int i = 0; i < 60; i++) {
        vdi__oasis_pools(o);
        *f = vdi__oasis_closed(o, sum, squares);
        double b = vdi__oasis_best_b(o, f, o->lambda);
        if (fabs(b - o->b) <= 1e-12 * scale) return true;
        if (b > o->b)
            low = VDI__MAX(low, o->b); /* the sum of residuals falls with b */
        else
            high = VDI__MIN(high, o->b);
        if (!(b > low && b < high)) b = 0.5 * (low + high);
        o->b = b;
    }
    return false;
}

/* lambda and b where nothing but them is free. */
VDI__FN bool vdi__oasis_solve1(vdi__oasis *o) {
    const vdi_oasis_desc *desc = o->desc;
    double sum = 0;
    double squares = 0;
    double scale = 0;
    double low = 0;
    double high = HUGE_VAL;
    vdi__oasis_form f;
    for (int64_t t = 0; t < o->T; t++) {
        sum += o->y[t];
        squares += o->y[t] * o->y[t];
    }
    scale = sqrt(squares / (double)o->T) + o->noise;
    o->s_min = 0;
    if (desc->has_lambda) {
        o->lambda = desc->lambda;
        return vdi__oasis_settle_b(o, sum, squares, &f, scale);
    }
    /* both at once first: each step solves the two equations of the pools that stand */
    const double target = vdi__oasis_target(o);
    for (int i = 0; i < 25; i++) {
        vdi__oasis_pools(o);
        f = vdi__oasis_closed(o, sum, squares);
        double b = vdi__oasis_best_b(o, &f, 0), fixed, lambda, gain = f.Q;
        bool free_b = !o->held && f.B > 1e-9 * (double)o->T;
        for (int again = 0;; again++) { /* a baseline that would be below 0 is held there */
            fixed = free_b ? f.P - f.A * f.A / f.B : f.P - 2 * f.A * b + f.B * b * b;
            gain = free_b ? f.Q + f.C * f.C / f.B : f.Q;
            lambda = gain > 0 && target > fixed ? sqrt((target - fixed) / gain) : 0;
            if (!free_b || again) break;
            b = (f.A + f.C * lambda) / f.B;
            if (!(desc->baseline_nonneg && b < 0)) break;
            b = 0;
            free_b = false;
        }
        const bool still = fabs(b - o->b) <= 1e-11 * scale &&
                           fabs(lambda - o->lambda) <= 1e-10 * (o->lambda + scale);
        if (still) return true;
        o->b = b;
        o->lambda = lambda;
    }
    /* it circles between sets of pools: the residual rises with lambda, so halve */
    o->lambda = 0;
    bool good = vdi__oasis_settle_b(o, sum, squares, &f, scale);
    double rss = f.P - 2 * f.A * o->b + f.B * o->b * o->b;
    if (rss >= target) return good;
    for (int i = 0; i < 200; i++) {
        const double gain = f.Q + (o->held || !(f.B > 0) ? 0 : f.C * f.C / f.B);
        double lambda = gain > 0 ? sqrt(VDI__MAX(o->lambda * o->lambda + (target - rss) / gain, 0))
                                 : 2 * o->lambda + scale;
        if (!(lambda > low && lambda < high))
            lambda = high < HUGE_VAL ? 0.5 * (low + high) : 2 * low + scale;
        o->lambda = lambda;
        good = vdi__oasis_settle_b(o, sum, squares, &f, scale);
        rss = f.P - 2 * f.A * o->b + f.B * o->b * o->b + f.Q * lambda * lambda;
        if (fabs(rss - target) <= 1e-10 * target) return good;
        if (rss < target)
            low = lambda;
        else
            high = lambda;
        if (high - low <= 1e-14 * high) return good;
    }
    return false;
}

/* The decay that fits the largest isolated events best, each with a height of its own, in windows
 * of fixed length (the pools themselves end where the noise is high, so their own decays are
 * biased). */
VDI__FN double vdi__oasis_events_fit(const vdi__oasis *o, const int64_t *event, int count,
                                     int64_t window, double d) {
    double rss = 0;
    for (int e = 0; e < count; e++) {
        double num = 0;
        double den = 0;
        double all = 0;
        double f = 1;
        for (int64_t t = event[e]; t < event[e] + window; t++) {
            const double x = o->y[t] - o->b;
            num += f * x;
            den += f * f;
            all += x * x;
            f *= d;
        }
        rss += all - (num > 0 ? num * num / den : 0);
    }
    return rss;
}

VDI__FN bool vdi__oasis_refine(vdi__oasis *o) {
    enum { MOST = 1000 };
    int64_t event[MOST];
    int count = 0;
    double *jump = o->aux[0];
    const double tau = -1 / log(o->d);
    const int64_t window = (int64_t)(3 * tau) + 4;
    for (int64_t i = 0; i < o->pools; i++) {
        const vdi__oasis_pool *p = &o->pool[i];
        jump[i] = i ? VDI__MAX(p->v, 0) - o->power[p[-1].length] * VDI__MAX(p[-1].v, 0) : 0;
    }
    while (count < o->desc->refine) {
        double best = 3 * o->noise;
        int64_t at = -1;
        for (int64_t i = 1; i < o->pools; i++) {
            if (jump[i] > best && o->pool[i].start + window <= o->T) {
                best = jump[i];
                at = i;
            }
        }
        if (at < 0) break;
        bool alone = true;
        for (int64_t i = at + 1;
             alone && i < o->pools && o->pool[i].start < o->pool[at].start + window; i++)
            alone = fabs(jump[i]) < 0.25 * best;
        if (alone) event[count++] = o->pool[at].start;
        jump[at] = alone ? -jump[at] : 0; /* not again, but still in the way of others */
    }
    if (count == 0) return false;
    const double golden = 0.6180339887498949;
    const double tau0 = -1 / log(o->d0); /* no further than twice from the first estimate */
    double a = exp(-2 / tau0);
    double b = exp(-0.5 / tau0);
    double x = b - golden * (b - a);
    double z = a + golden * (b - a);
    double fx = vdi__oasis_events_fit(o, event, count, window, x);
    double fz = vdi__oasis_events_fit(o, event, count, window, z);
    while (b - a > 1e-6) {
        if (fx < fz) {
            b = z;
            z = x;
            fz = fx;
            x = b - golden * (b - a);
            fx = vdi__oasis_events_fit(o, event, count, window, x);
        } else {
            a = x;
            x = z;
            fx = fz;
            z = a + golden * (b - a);
            fz = vdi__oasis_events_fit(o, event, count, window, z);
        }
    }
    const double d = 0.5 * (a + b);
    const bool moved = fabs(d - o->d) > 1e-5;
    o->d = d;
    vdi__oasis_powers(o->d, o->T, o->power);
    return moved;
}

/* ======== order 2: interior point ================================================================
 * min 1/2 |x - b - c|^2 + lambda 1'Gc over c with s = Gc >= 0, G = 1 - (d + r) L + d r L^2 (L: one
 * frame back), and over b where it is free. With dual z: c - x + b + G'(lambda - z) = 0, s z = mu.
 * Each Newton step solves (I + G'(Z/S)G) dc + 1 db = .., a pentadiagonal system with a border.
 * Mehrotra's predictor and corrector (1992). */

/* a, e, f: the three diagonals of a positive definite pentadiagonal matrix, factored in place: unit
 * L in e and f, 1/D in a */
VDI__FN void vdi__penta_factor(int64_t T, double *a, double *e, double *f) {
    for (int64_t t = 0; t < T; t++) {
        double diag = a[t], off = t + 1 < T ? e[t] : 0;
        if (t >= 1) {
            diag -= e[t - 1] * e[t - 1] * a[t - 1];
            off -= e[t - 1] * f[t - 1] * a[t - 1];
        }
        if (t >= 2) diag -= f[t - 2] * f[t - 2] * a[t - 2];
        a[t] = diag;
        const double inverse = 1 / diag;
        if (t + 1 < T) e[t] = off * inverse;
        if (t + 2 < T) f[t] *= inverse;
    }
    for (int64_t t = 0; t < T; t++)
        a[t] = 1 / a[t]; /* what the solves multiply by */
}
VDI__FN void vdi__penta_solve(int64_t T, const double *a, const double *e, const double *f,
                              double *x) {
    for (int64_t t = 0; t < T; t++) {
        if (t >= 1) x[t] -= e[t - 1] * x[t - 1];
        if (t >= 2) x[t] -= f[t - 2] * x[t - 2];
    }
    for (int64_t t = T - 1; t >= 0; t--) {
        x[t] *= a[t];
        if (t + 1 < T) x[t] -= e[t] * x[t + 1];
        if (t + 2 < T) x[t] -= f[t] * x[t + 2];
    }
}
/* s = G c and g = G' z */
VDI__FN void vdi__ar2_apply(int64_t T, double g1, double g2, const double *c, double *s) {
    for (int64_t t = 0; t < T; t++)
        s[t] = c[t] - (t >= 1 ? g1 * c[t - 1] : 0) - (t >= 2 ? g2 * c[t - 2] : 0);
}
VDI__FN void vdi__ar2_adjoint(int64_t T, double g1, double g2, const double *z, double *g) {
    for (int64_t t = 0; t < T; t++)
        g[t] = z[t] - (t + 1 < T ? g1 * z[t + 1] : 0) - (t + 2 < T ? g2 * z[t + 2] : 0);
}

/* At o->lambda; b is free unless `held`. The unit of the problem is `scale`. */
VDI__FN bool vdi__oasis_interior(vdi__oasis *o, bool held) {
    const int64_t T = o->T;
    const double g1 = o->d + o->r;
    const double g2 = -o->d * o->r;
    const double scale = o->noise > 0 ? o->noise : 1;
    const double lambda = o->lambda / scale;
    double *c = o->c;
    double *s = o->aux[0];
    double *z = o->aux[1];
    double *a = o->aux[2];
    double *e = o->aux[3];
    double *f = o->aux[4];
    double *rhs = o->aux[5];
    double *one = o->aux[6];

    double *ds = o->aux[7];
    double *dz = o->aux[8];
    double *dual = o->aux[9];
    double *w = o->aux[10];
    double *dc = o->aux[11];
    double b = o->b / scale, db = 0;
    o->solves++;
    /* a start whose calcium is about what the trace holds */
    double level = 1;
    for (int64_t t = 0; t < T; t++)
        level += fabs(o->y[t] / scale - b) / (double)T;
    level *= (1 - o->d) * (1 - o->r);
    for (int64_t t = 0; t < T; t++) {
        s[t] = level;
        z[t] = lambda + 1 / sqrt(level);
    }
    for (int64_t t = 0; t < T; t++)
        c[t] = s[t] + (t >= 1 ? g1 * c[t - 1] : 0) + (t >= 2 ? g2 * c[t - 2] : 0);
    for (int round = 0; round < 100; round++) {
        double gap = 0;
        double infeasible = 0;
        double objective = 0;
        double mean = 0;
        for (int64_t t = 0; t < T; t++) {
            w[t] = lambda - z[t];
            gap += s[t] * z[t];
        }
        vdi__ar2_adjoint(T, g1, g2, w, dual);
        for (int64_t t = 0; t < T; t++) {
            const double residual = o->y[t] / scale - b - c[t];
            dual[t] -= residual; /* what stationarity misses */
            mean += residual;
            infeasible += fabs(dual[t]);
            objective += 0.5 * residual * residual + lambda * s[t];
        }
        if (held) mean = 0;
        if (gap <= 1e-10 * (objective + 1) && infeasible <= 1e-8 * ((double)T + objective) &&
            fabs(mean) <= 1e-8 * (double)T) {
            o->b = b * scale;
            for (int64_t t = 0; t < T; t++) {
                /* what the barrier left on an inactive spike is nothing */
                if (s[t] < z[t]) s[t] = 0;
                c[t] = s[t] + (t >= 1 ? g1 * c[t - 1] : 0) + (t >= 2 ? g2 * c[t - 2] : 0);
            }
            for (int64_t t = 0; t < T; t++)
                c[t] *= scale;
            return true;
        }
        if (!(gap >= 0)) return false;
        for (int64_t t = 0; t < T; t++)
            w[t] = z[t] / s[t];
        for (int64_t t = 0; t < T; t++) { /* I + G'WG */
            const double w0 = w[t], w1 = t + 1 < T ? w[t + 1] : 0, w2 = t + 2 < T ? w[t + 2] : 0;
            a[t] = 1 + w0 + g1 * g1 * w1 + g2 * g2 * w2;
            e[t] = -g1 * w1 + g1 * g2 * w2;
            f[t] = -g2 * w2;
            one[t] = 1;
        }
        vdi__penta_factor(T, a, e, f);
        double border = (double)T;
        double step = 1;
        double mu = 0;
        double sigma = 0;
        if (!held) {
            vdi__penta_solve(T, a, e, f, one);
            for (int64_t t = 0; t < T; t++)
                border -= one[t];
        }
        for (int pass = 0; pass < 2; pass++) {
            /* s z + z ds + s dz = mu - ds dz of the first pass: dz = (mu - corr)/s - z - w ds */
            for (int64_t t = 0; t < T; t++) {
                rhs[t] = (mu - (pass ? ds[t] * dz[t] : 0)) / s[t] - z[t];
                ds[t] = rhs[t];
            }
            vdi__ar2_adjoint(T, g1, g2, ds, dc);
            for (int64_t t = 0; t < T; t++)
                dc[t] -= dual[t];
            vdi__penta_solve(T, a, e, f, dc);
            if (!held) {
                double sum = 0;
                for (int64_t t = 0; t < T; t++)
                    sum += dc[t];
                db = border > 1e-12 * (double)T ? (mean - sum) / border : 0;
                for (int64_t t = 0; t < T; t++)
                    dc[t] -= db * one[t];
            }
            vdi__ar2_apply(T, g1, g2, dc, ds);
            double primal = 1, both = 1, after = 0;
            for (int64_t t = 0; t < T; t++) {
                dz[t] = rhs[t] - w[t] * ds[t];
                if (ds[t] * primal < -s[t]) primal = -s[t] / ds[t];
                if (dz[t] * both < -z[t]) both = -z[t] / dz[t];
            }
            step = VDI__MIN(primal, both);
            if (pass) break;
            for (int64_t t = 0; t < T; t++)
                after += (s[t] + step * ds[t]) * (z[t] + step * dz[t]);
            sigma = after / gap;
            mu = sigma * sigma * sigma * gap / (double)T;
        }
        step *= 0.995;
        if (!(step > 1e-12)) break;
        for (int64_t t = 0; t < T; t++) {
            c[t] += step * dc[t];
            s[t] += step * ds[t];
            z[t] += step * dz[t];
        }
        if (!held) b += step * db;
    }
    return false;
}

VDI__FN double vdi__oasis_rss(const vdi__oasis *o) {
    double sum = 0;
    for (int64_t t = 0; t < o->T; t++)
        sum += (o->y[t] - o->b - o->c[t]) * (o->y[t] - o->b - o->c[t]);
    return sum;
}

VDI__FN bool vdi__oasis_interior_b(vdi__oasis *o) {
    if (o->held) return vdi__oasis_interior(o, true);
    bool good = vdi__oasis_interior(o, false);
    if (o->desc->baseline_nonneg && o->b < 0) {
        o->b = 0;
        good = vdi__oasis_interior(o, true);
    }
    return good;
}

/* The residual is a piecewise linear function of lambda^2, so the secant in lambda^2 lands on the
 * piece and then on the point. At lambda = 0 a free b has no say (calcium can stand in for it), so
 * the search begins above and takes what is tiny for 0. */
VDI__FN bool vdi__oasis_solve2(vdi__oasis *o) {
    const double target = vdi__oasis_target(o), tiny = 1e-3 * o->noise;
    if (o->desc->has_lambda) {
        o->lambda = o->desc->lambda;
        return vdi__oasis_interior_b(o);
    }
    double low = 0;
    double high = HUGE_VAL;
    double rss_low = 0;
    double rss_high = 0;
    double last = 0;
    double rss_last = 0;
    o->lambda = 10 * o->noise;
    for (int i = 0; i < 60; i++) {
        const double square = o->lambda * o->lambda;
        const bool good = vdi__oasis_interior_b(o);
        const double rss = vdi__oasis_rss(o);
        if (!good || fabs(rss - target) <= 1e-7 * target || (rss > target && o->lambda <= tiny))
            return good;
        if (rss < target) {
            low = square;
            rss_low = rss;
        } else {
            high = square;
            rss_high = rss;
        }
        if (high < HUGE_VAL && high - low <= 1e-13 * high) return good;
        double next = i && rss != rss_last
                          ? square + (target - rss) * (square - last) / (rss - rss_last)
                          : -1;
        last = square;
        rss_last = rss;
        if (!(low > 0)) {
            next = VDI__MAX(0.1 * high, tiny * tiny); /* not bracketed yet */
        } else if (!(high < HUGE_VAL)) {
            next = VDI__MIN(VDI__MAX(next, 2 * low), 10 * low);
        } else if (!(next > low && next < high)) {
            next =
                low + (high - low) *
                          VDI__MIN(VDI__MAX((target - rss_low) / (rss_high - rss_low), 0.1), 0.9);
        }
        o->lambda = sqrt(next);
    }
    return false;
}

/* ======== L0: greedy pools for either order ======================================================
 * In a pool calcium starts at v after a spike, and for order 2 the value before it, `last`, goes on
 * too: k frames on it is h_k v + q_k last, h_k = (d^{k+1} - r^{k+1})/(d - r), q_k = -d r h_{k-1}.
 * Sums over a pool of d^k x and r^k x make merging cheap. */

VDI__FN void vdi__oasis_greedy2(vdi__oasis *o) {
    const double d = o->d;
    const double r = o->r;
    const double *pd = o->power;
    const double *pr = o->power2;
    const double g1 = d + r;
    const double g2 = -d * r;
    /* (T) by pool or length */
    double *hh = o->aux[0];
    double *hq = o->aux[1];
    double *sums = o->aux[2];
    double *rsums = o->aux[3];
    double *last = o->aux[4];

    double *last2 = o->aux[5];
    vdi__oasis_pool *pool = o->pool;
    int64_t n = 0;
    double a = 0, b = 0;
    o->solves++;
    for (int64_t k = 0; k < o->T; k++) {
        /* hh[k] = sum of h^2 over the first k + 1, hq likewise of h q */
        const double h = (d * pd[k] - r * pr[k]) / (d - r);
        const double q = k ? g2 * (pd[k] - pr[k]) / (d - r) : 0;
        hh[k] = a += h * h;
        hq[k] = b += h * q;
    }
    /* c at k frames into pool i */
#define VDI__AT(i, k)                                               \
    (((d * pd[k] - r * pr[k]) * pool[i].v +                         \
      ((k) ? g2 * (pd[k] - pr[k]) : 0) * ((i) ? last[(i)-1] : 0)) / \
     (d - r))
    for (int64_t t = 0; t < o->T; t++) {
        double x = o->y[t] - o->b, rx = x;
        int64_t start = t, length = 1;
        for (;;) {
            const double before = n ? last[n - 1] : 0, before2 = n ? last2[n - 1] : 0;
            const double num = (d * x - r * rx) / (d - r) - hq[length - 1] * before;
            double v = num / hh[length - 1];
            if (n == 0 && v < 0) v = 0;
            const double s = n ? v - g1 * before - g2 * before2 : v;
            if (n == 0 || s >= VDI__MAX(o->s_min, 0)) {
                pool[n].v = v;
                pool[n].start = start;
                pool[n].length = length;
                sums[n] = x;
                rsums[n] = rx;
                last[n] = VDI__AT(n, length - 1);
                last2[n] = length > 1 ? VDI__AT(n, length - 2) : before;
                n++;
                break;
            }
            n--; /* merge into the one before */
            x = sums[n] + pd[pool[n].length] * x;
            rx = rsums[n] + pr[pool[n].length] * rx;
            start = pool[n].start;
            length += pool[n].length;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < pool[i].length; k++)
            o->c[pool[i].start + k] = VDI__MAX(VDI__AT(i, k), 0);
    }
#undef VDI__AT
    o->pools = n;
}

VDI__FN void vdi__oasis_greedy(vdi__oasis *o) {
    if (o->order == 2) {
        vdi__oasis_greedy2(o);
    } else {
        vdi__oasis_pools(o);
        vdi__oasis_fill1(o);
    }
    o->residual = vdi__oasis_rss(o);
}

/* At one s_min: the baseline and the pools in turn. */
VDI__FN void vdi__oasis_greedy_b(vdi__oasis *o, double s_min) {
    o->s_min = s_min;
    for (int i = 0; i < 4; i++) {
        double sum = 0;
        vdi__oasis_greedy(o);
        if (o->held) break;
        for (int64_t t = 0; t < o->T; t++)
            sum += o->y[t] - o->c[t];
        double b = sum / (double)o->T;
        if (o->desc->baseline_nonneg && b < 0) b = 0;
        if (fabs(b - o->b) < 1e-6 * o->noise) break;
        o->b = b;
    }
}

/* From the baseline of the L1 solution. */
VDI__FN void vdi__oasis_solve0(vdi__oasis *o) {
    const vdi_oasis_desc *desc = o->desc;
    const double b = o->b;
    o->lambda = 0;
    if (desc->s_min != 0) {
        vdi__oasis_greedy_b(o, desc->s_min > 0 ? desc->s_min : -desc->s_min * o->noise);
        return;
    }
    double low = 0, high = 0, target = vdi__oasis_target(o);
    for (int64_t t = 0; t < o->T; t++)
        high = VDI__MAX(high, o->y[t] - b);
    for (int i = 0; i < 25 && high - low > 1e-4 * high; i++) {
        const double s_min = 0.5 * (low + high);
        o->b = b;
        vdi__oasis_greedy_b(o, s_min);
        if (o->residual <= target)
            low = s_min;
        else
            high = s_min;
    }
    o->b = b;
    vdi__oasis_greedy_b(o, low);
}

/* Is the trace no more than noise about a constant? Then no spike is the sparsest answer, from
 * lambda = max_t sum_k h_k (y - b)_{t+k} on.
 */
VDI__FN bool vdi__oasis_silent(vdi__oasis *o) {
    double b = 0;
    double rss = 0;
    double next = 0;
    double after = 0;
    double most = 0;
    if (o->desc->has_lambda) return false;
    for (int64_t t = 0; t < o->T; t++)
        b += o->y[t] / (double)o->T;
    if (o->held) b = o->b;
    if (!o->held && o->desc->baseline_nonneg && b < 0) b = 0;
    for (int64_t t = 0; t < o->T; t++)
        rss += (o->y[t] - b) * (o->y[t] - b);
    if (rss > vdi__oasis_target(o)) return false;
    for (int64_t t = o->T - 1; t >= 0; t--) {
        const double now = o->y[t] - b + (o->d + o->r) * next - o->d * o->r * after;
        after = next;
        next = now;
        most = VDI__MAX(most, now);
    }
    o->b = b;
    o->lambda = most;
    o->pools = 0;
    return true;
}

/* ======== the call ============================================================================ */

VDI__DEF size_t vdi_oasis_worksize(int64_t T) {
    if (T < 0 || (uint64_t)T > SIZE_MAX / 1024) return SIZE_MAX;
    return 16 * vdi_align_size(((size_t)T + 1) * sizeof(double)) +
           vdi_align_size((size_t)T * sizeof(vdi__oasis_pool)) + VDI_ALIGN;
}

VDI__FN vdi_status vdi__oasis_load(vdi__oasis *o, vdi_dtype dtype, const void *y, int64_t *bridged,
                                   vdi_error *err) {
    static const char where[] = "vdi_oasis";
    int64_t seen = -1, count = 0;
    double least = HUGE_VAL, most = -HUGE_VAL;
    for (int64_t t = 0; t < o->T; t++) {
        const double v = dtype == VDI_F32 ? (double)((const float *)y)[t] : ((const double *)y)[t];
        if (v != v) continue;
        if (!isfinite(v))
            return vdi_error_set(err, VDI_ERR_DATA, where, "frame %lld is infinite", (long long)t);
        o->y[t] = v;
        least = VDI__MIN(least, v);
        most = VDI__MAX(most, v);
        count++;
        for (int64_t k = seen + 1; k < t; k++) {
            o->y[k] = seen < 0
                          ? v
                          : o->y[seen] + (v - o->y[seen]) * (double)(k - seen) / (double)(t - seen);
        }
        seen = t;
    }
    if (count < 4) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "%lld of %lld frames are numbers, expected at least 4",
                             (long long)count, (long long)o->T);
    }
    for (int64_t k = seen + 1; k < o->T; k++)
        o->y[k] = o->y[seen];
    if (!(most > least))
        return vdi_error_set(err, VDI_ERR_DATA, where, "the trace is constant, %g", most);
    *bridged = o->T - count;
    return VDI_OK;
}

VDI__FN vdi_status vdi__oasis_run(vdi__oasis *o, vdi_dtype dtype, const void *y, void *calcium,
                                  void *spikes, vdi_oasis_result *out, vdi_error *err) {
    const vdi_oasis_desc *desc = o->desc;
    const double fps = desc->fps > 0 ? desc->fps : 1, fudge = desc->fudge > 0 ? desc->fudge : 0.98;
    vdi_oasis_result res = VDI__ZERO;
    vdi_status status = vdi__oasis_load(o, dtype, y, &res.bridged, err);
    if (status < 0) return status;
    o->noise = desc->noise > 0 ? desc->noise
                               : vdi_oasis_noise_of(desc->noise_method, o->T, o->y, o->aux[0]);
    double decay = 0, rise = 0;
    if (!(desc->tau_decay > 0) || (o->order == 2 && !(desc->tau_rise > 0)))
        vdi__oasis_roots(o->order, o->T, o->y, o->noise, fudge, &decay, &rise);
    o->d = desc->tau_decay > 0 ? exp(-1 / (fps * desc->tau_decay)) : decay;
    o->r = o->order == 1 ? 0 : desc->tau_rise > 0 ? exp(-1 / (fps * desc->tau_rise)) : rise;
    if (o->order == 2) { /* equal roots are a limit that the formulas divide by */
        if (o->r > o->d) {
            const double keep = o->d;
            o->d = o->r;
            o->r = keep;
        }
        if (o->d - o->r < 1e-4 * o->d) o->r = o->d * (1 - 1e-4);
        vdi__oasis_powers(o->r, o->T, o->power2);
    }
    vdi__oasis_powers(o->d, o->T, o->power);
    o->d0 = o->d;
    o->b = desc->baseline;
    o->held = desc->has_baseline || (desc->has_lambda && !(desc->lambda > 0));
    if (!desc->has_baseline) {
        /* a first guess, and all that lambda = 0 can know: the 15th percentile */
        memcpy(o->aux[0], o->y, (size_t)o->T * sizeof(double));
        o->b = vdi__oasis_select(o->T, o->aux[0], (o->T - 1) * 15 / 100);
        if (desc->baseline_nonneg && o->b < 0) o->b = 0;
    }
    bool good = true;
    if (vdi__oasis_silent(o)) {
        memset(o->c, 0, (size_t)o->T * sizeof(double));
    } else if (o->order == 2) {
        good = vdi__oasis_solve2(o);
    } else {
        good = vdi__oasis_solve1(o);
        for (int round = 0; desc->refine > 0 && round < 5 && vdi__oasis_refine(o); round++)
            good = vdi__oasis_solve1(o);
        vdi__oasis_fill1(o);
    }
    o->residual = vdi__oasis_rss(o);
    if (desc->penalty == VDI_OASIS_L0) vdi__oasis_solve0(o);
    const double g1 = o->d + o->r, g2 = -o->d * o->r;
    double total = o->c[0];
    for (int64_t t = 0; t < o->T; t++) {
        double s = t ? o->c[t] - g1 * o->c[t - 1] - (t > 1 ? g2 * o->c[t - 2] : 0) : 0;
        if (!(s > 1e-9 * o->noise)) s = 0;
        total += s;
        res.events += s > 0;
        if (spikes) vdi_dtype_store(dtype, spikes, t, s);
        if (calcium) vdi_dtype_store(dtype, calcium, t, o->c[t]);
    }
    res.baseline = o->b;
    res.noise = o->noise;
    res.decay = o->d;
    res.rise = o->r;
    res.tau_decay = -1 / (fps * log(o->d));
    res.tau_rise = o->r > 0 ? -1 / (fps * log(o->r)) : 0;
    res.lambda = o->lambda;
    res.s_min = desc->penalty == VDI_OASIS_L0 ? o->s_min : 0;
    res.start = o->c[0];
    res.residual = o->residual;
    res.objective = 0.5 * o->residual + o->lambda * total;
    res.iterations = o->solves;
    if (out) *out = res;
    if (!isfinite(res.objective))
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_oasis", "the solution is not finite");
    if (!good) {
        return vdi_error_set(err, VDI_NOT_CONVERGED, "vdi_oasis",
                             "lambda and baseline did not settle");
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_oasis(const vdi_oasis_desc *desc, vdi_dtype dtype, int64_t T, const void *y,
                              void *work, void *calcium, void *spikes, vdi_oasis_result *out,
                              vdi_error *err) {
    static const char where[] = "vdi_oasis";
    vdi__oasis o = VDI__ZERO;
    vdi_status status = vdi_oasis_desc_check(desc, err);
    const size_t bytes = vdi_oasis_worksize(T);
    const size_t row = vdi_align_size(((size_t)VDI__MAX(T, 0) + 1) * sizeof(double));
    if (status < 0) return status;
    if (!vdi_dtype_is_real(dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where, "dtype is %s, expected float32 or float64",
                             vdi_dtype_name(dtype));
    }
    if (T < 4 || bytes == SIZE_MAX) {
        return vdi_error_set(err, VDI_ERR_DATA, where, "%lld frames, expected at least 4",
                             (long long)T);
    }
    char *mem = work ? (char *)work : (char *)vdi_alloc(&desc->allocator, bytes);
    if (!mem) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu bytes", bytes);
    char *at = (char *)(((uintptr_t)mem + (VDI_ALIGN - 1)) & ~(uintptr_t)(VDI_ALIGN - 1));
    o.desc = desc;
    o.T = T;
    o.order = desc->order ? desc->order : 1;
    double **list[4];
    list[0] = &o.y;
    list[1] = &o.c;
    list[2] = &o.power;
    list[3] = &o.power2;
    for (int i = 0; i < 4; i++) {
        *list[i] = (double *)(void *)at;
        at += row;
    }
    for (int i = 0; i < 12; i++) {
        o.aux[i] = (double *)(void *)at;
        at += row;
    }
    o.pool = (vdi__oasis_pool *)(void *)at;
    status = vdi__oasis_run(&o, dtype, y, calcium, spikes, out, err);
    if (!work) vdi_free(&desc->allocator, mem, bytes);
    return status;
}
#endif
