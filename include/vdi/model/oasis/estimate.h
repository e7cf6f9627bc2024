/* model/oasis/estimate.h - noise and time constants from the trace itself
 *
 * Welch 1967 for the spectrum, Pnevmatikakis et al. 2016 for the roots. Declared in oasis.h.
 */
#ifndef VDI_MODEL_OASIS_ESTIMATE_H
#define VDI_MODEL_OASIS_ESTIMATE_H
#include "oasis.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_OASIS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_OASIS_ESTIMATE_C)
#define VDI_MODEL_OASIS_ESTIMATE_C

enum { VDI__OASIS_SEGMENT = 256, VDI__OASIS_LAGS = 10 };

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

/* ---- noise ----------------------------------------------------------------------------------- */

/* 1.4826 median |y_{t+1} - y_t| / sqrt 2 */
VDI__FN double vdi__oasis_noise_mad(int64_t T, const double *y, double *work) {
    for (int64_t t = 0; t + 1 < T; t++) {
        work[t] = fabs(y[t + 1] - y[t]);
    }
    const double median = 0.5 * (vdi__oasis_select(T - 1, work, (T - 1) / 2) +
                                 vdi__oasis_select(T - 1, work, (T - 2) / 2));
    return 1.4826 * median / sqrt(2.0);
}

/* A windowed segment without its mean, or zeros where the trace has no more. */
VDI__FN void vdi__oasis_segment(int n, const double *from, const double *window, double *x) {
    double mean = 0;
    if (!from) {
        memset(x, 0, (size_t)n * sizeof *x);
        return;
    }
    for (int i = 0; i < n; i++) {
        mean += from[i] / n;
    }
    for (int i = 0; i < n; i++) {
        x[i] = (from[i] - mean) * window[i];
    }
}

/* Mean power above half of the Nyquist frequency. Two real segments go through one complex
 * transform. Half overlap, Hann window. */
VDI__FN double vdi__oasis_noise_spectrum(int64_t T, const double *y) {
    double re[VDI__OASIS_SEGMENT], im[VDI__OASIS_SEGMENT];
    double window[VDI__OASIS_SEGMENT], turn[VDI__OASIS_SEGMENT];
    double power = 0, weight = 0;
    int n = 4;
    while (n < VDI__OASIS_SEGMENT && 2 * n <= T) {
        n *= 2;
    }
    for (int i = 0; i < n; i++) {
        window[i] = 0.5 - 0.5 * cos(2 * VDI_PI * i / n);
        weight += window[i] * window[i];
        turn[i] = i < n / 2 ? cos(2 * VDI_PI * i / n) : sin(2 * VDI_PI * (i - n / 2) / n);
    }
    const int64_t segments = (T - n) / (n / 2) + 1;
    for (int64_t s = 0; s < segments; s += 2) {
        const double *from = y + s * (n / 2);
        vdi__oasis_segment(n, from, window, re);
        vdi__oasis_segment(n, s + 1 < segments ? from + n / 2 : NULL, window, im);
        vdi__oasis_fft(n, turn, re, im);
        for (int k = n / 4 + 1; k <= n / 2; k++) {
            /* |X|^2 of both: the even and odd parts of the spectrum. A one-sided density counts all
             * but the last twice. */
            const int j = n - k;
            const double twice = k == n / 2 ? 0.5 : 1;
            power += twice * 0.5 * (re[k] * re[k] + im[k] * im[k] + re[j] * re[j] + im[j] * im[j]);
        }
    }
    return sqrt(power / ((double)segments * weight * (n / 4)));
}

VDI__DEF double vdi_oasis_noise_of(vdi_oasis_noise method, int64_t T, const double *y,
                                   double *work) {
    if (T < 4) return 0;
    return method == VDI_OASIS_MAD ? vdi__oasis_noise_mad(T, y, work)
                                   : vdi__oasis_noise_spectrum(T, y);
}

/* ---- time constants -------------------------------------------------------------------------- */

/* Roots from the autocovariance x_0..x_lags: x_{k+1} = sum_j g_j (x_{|k-j|} - noise^2 [k = j]),
 * least squares over k < lags. */
VDI__FN void vdi__oasis_yule_walker(int order, int lags, const double *x, double noise,
                                    double *decay, double *rise) {
    double a = 0, b = 0, c = 0, p = 0, q = 0;
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
        return;
    }
    const double det = a * c - b * b;
    const double g1 = det > 0 ? (c * p - b * q) / det : 0.9;
    const double g2 = det > 0 ? (a * q - b * p) / det : 0;
    /* complex roots: their real part, twice */
    const double disc = g1 * g1 + 4 * g2, root = disc > 0 ? sqrt(disc) : 0;
    *decay = 0.5 * (g1 + root);
    *rise = 0.5 * (g1 - root);
}

/* The autocovariance of y (T). */
VDI__FN int vdi__oasis_autocovariance(int64_t T, const double *y, double *x) {
    const int lags = (int)VDI__MIN((int64_t)VDI__OASIS_LAGS, T - 2);
    double mean = 0;
    for (int64_t t = 0; t < T; t++) {
        mean += y[t] / (double)T;
    }
    for (int k = 0; k <= lags; k++) {
        x[k] = 0;
        for (int64_t t = k; t < T; t++) {
            x[k] += (y[t] - mean) * (y[t - k] - mean);
        }
        x[k] /= (double)T;
    }
    return lags;
}

VDI__FN void vdi__oasis_roots(int order, int64_t T, const double *y, double noise, double fudge,
                              double *decay, double *rise) {
    double x[VDI__OASIS_LAGS + 2];
    const int lags = vdi__oasis_autocovariance(T, y, x);
    vdi__oasis_yule_walker(order, lags, x, noise, decay, rise);
    if (!(*decay < 1)) *decay = 0.95;
    if (!(*decay > 0.15)) *decay = 0.15;
    *decay *= fudge;
    if (order == 2) {
        if (!(*rise > 0)) *rise = 0.01;
        *rise = VDI__MIN(*rise * fudge, *decay - 1e-3);
        if (!(*rise > 0)) *rise = 0.01 * *decay;
    }
}
#endif
