/* linalg/quadrature.h - Gauss-Hermite rules, and the Poisson probability of a count under a
 * Gaussian log rate
 *
 * Do this:
 *     vdi_gauss_hermite(24, x, w, &err);             E f(e), e ~ N(0,1), is sum_i w_i f(x_i)
 *     vdi_gauss_hermite_product(5, 2, X, W, &err);   for e ~ N(0,I) in two dimensions: 25 points
 *     vdi_poisson_lognormal(n, y, mean, variance, 24, x, w, log_p);   log E Poisson(y | exp(...))
 *
 * The rules are those of the standard normal density (probabilists' Hermite polynomials), so
 * weights sum to 1: a rule of n nodes is exact for polynomials up to degree 2n-1. Nodes by Newton's
 * method inside brackets (the roots of He_k separate those of He_{k+1}), weights 1 / sum_k h_k(x)^2
 * over the orthonormal polynomials h_0 .. h_{n-1} (Golub and Welsch 1969), both to about 1e-15.
 * What it does not do: adaptive rules. A log rate with a standard deviation above 3 wants more
 * nodes than 24. Memory: none is allocated. Errors: statuses.
 * Threads: all functions are pure.
 */
#ifndef VDI_LINALG_QUADRATURE_H
#define VDI_LINALG_QUADRATURE_H
#include "../kernel/table.h"

/** Most nodes of a one-dimensional rule. */
#define VDI_GAUSS_HERMITE_MAX 128

/** Nodes x (n), rising, and weights w (n) with sum 1, for expectations under N(0,1). n from 1 to
 * VDI_GAUSS_HERMITE_MAX. */
VDI_API VDI_NODISCARD vdi_status vdi_gauss_hermite(int n, double *x, double *w, vdi_error *err);
/** The product rule for N(0,I): X (n^d,d), the last coordinate running fastest, W (n^d). n^d may be
 * at most 2^24. */
VDI_API VDI_NODISCARD vdi_status vdi_gauss_hermite_product(int n, int d, double *X, double *W,
                                                           vdi_error *err);
/** out[i] = log sum_k w_k Poisson(y[i] | exp(mean[i] + sqrt(variance[i]) x_k)), nats, log y!
 * included; NaN where y[i] is NaN.
 *  x, w (nodes): a rule of at most VDI_GAUSS_HERMITE_MAX nodes. Log rates above 700 count
 *  as 700. */
VDI_API void vdi_poisson_lognormal(size_t count, const double *y, const double *mean,
                                   const double *variance, int nodes, const double *x,
                                   const double *w, double *out);

#endif /* VDI_LINALG_QUADRATURE_H */

#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_LINALG_QUADRATURE_C)
#define VDI_LINALG_QUADRATURE_C

/* h_n(x) of the orthonormal polynomials, h_{k+1} = (x h_k - sqrt(k) h_{k-1}) / sqrt(k+1); *below =
 * h_{n-1}, *square = sum of h_k^2, k < n
 */
VDI__FN double vdi__hermite(int n, double x, double *below, double *square) {
    double h = 1, last = 0, sum = 0;
    for (int k = 0; k < n; k++) {
        sum += h * h;
        double next = (x * h - sqrt((double)k) * last) / sqrt((double)(k + 1));
        last = h;
        h = next;
    }
    *below = last;
    *square = sum;
    return h;
}

VDI__DEF vdi_status vdi_gauss_hermite(int n, double *x, double *w, vdi_error *err) {
    double below, square;
    if (n < 1 || n > VDI_GAUSS_HERMITE_MAX) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_gauss_hermite",
                             "n is %d, expected 1 to %d", n, VDI_GAUSS_HERMITE_MAX);
    }
    x[0] = 0;
    for (int k = 2; k <= n; k++) {
        double previous = -2 * sqrt((double)k), edge = -previous; /* all roots of He_k lie inside */
        for (int j = 0; j < k; j++) {
            /* root j lies between roots j-1 and j of He_{k-1}, the old ones */
            double low = previous;
            double high = j + 1 < k ? x[j] : edge;
            double sign = vdi__hermite(k, low, &below, &square) < 0 ? -1 : 1;
            double at = 0.5 * (low + high);
            previous = high;
            for (int step = 0; step < 100; step++) {
                double h = vdi__hermite(k, at, &below, &square), next;
                if (h * sign > 0)
                    low = at;
                else
                    high = at;
                next = at - h / (sqrt((double)k) * below); /* h_k' = sqrt(k) h_{k-1} */
                if (!(next > low && next < high)) next = 0.5 * (low + high);
                if (fabs(next - at) <= 1e-16 * fabs(at) + 1e-300 || next == at) break;
                at = next;
            }
            x[j] = at;
        }
    }
    for (int j = 0; 2 * j < n; j++) { /* symmetric to the last bit */
        double at = 2 * j + 1 == n ? 0 : 0.5 * (x[n - 1 - j] - x[j]);
        x[j] = -at;
        x[n - 1 - j] = at;
        (void)vdi__hermite(n, at, &below, &square);
        w[j] = w[n - 1 - j] = 1 / square;
    }
    if (n % 2) x[n / 2] = 0;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_gauss_hermite_product(int n, int d, double *X, double *W, vdi_error *err) {
    double x[VDI_GAUSS_HERMITE_MAX], w[VDI_GAUSS_HERMITE_MAX];
    int64_t points = 1;
    vdi_status status = vdi_gauss_hermite(n, x, w, err);
    if (status < 0) return status;
    for (int k = 0; k < d && points <= (int64_t)1 << 24; k++)
        points *= n;
    if (d < 1 || points > (int64_t)1 << 24) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_gauss_hermite_product",
                             "%d nodes in %d dimensions, expected 1 to 2^24 points", n, d);
    }
    for (int64_t i = 0; i < points; i++) {
        int64_t rest = i;
        W[i] = 1;
        for (int k = d - 1; k >= 0; k--, rest /= n) {
            X[i * d + k] = x[rest % n];
            W[i] *= w[rest % n];
        }
    }
    return VDI_OK;
}

VDI__DEF void vdi_poisson_lognormal(size_t count, const double *y, const double *mean,
                                    const double *variance, int nodes, const double *x,
                                    const double *w, double *out) {
    enum { LANE = 24 }; /* the terms of so many values at a time: 24 KiB of stack */
    double term[VDI_GAUSS_HERMITE_MAX][LANE], rate[LANE], top[LANE], sum[LANE], logfact[LANE];
    for (size_t first = 0; first < count; first += LANE) {
        const size_t n = VDI__MIN(count - first, (size_t)LANE);
        const double *yy = y + first;
        for (size_t i = 0; i < n; i++) {
            logfact[i] = yy[i] == yy[i] ? yy[i] + 1 : 1;
            top[i] = -HUGE_VAL;
            sum[i] = 0;
        }
        vdi_lgamma(VDI_F64, n, logfact, logfact);
        for (int k = 0; k < nodes; k++) {
            double *eta = term[k], logw = log(w[k]);
            for (size_t i = 0; i < n; i++) {
                double e = mean[first + i] + sqrt(variance[first + i]) * x[k];
                eta[i] = e < 700 ? e : e > 700 ? 700 : e;
            }
            vdi_exp(VDI_F64, n, eta, rate);
            for (size_t i = 0; i < n; i++) {
                eta[i] = logw + (yy[i] > 0 ? yy[i] * eta[i] : 0) - rate[i] - logfact[i];
                top[i] = VDI__MAX(top[i], eta[i]);
            }
        }
        for (int k = 0; k < nodes; k++) {
            for (size_t i = 0; i < n; i++)
                rate[i] = term[k][i] - top[i];
            vdi_exp(VDI_F64, n, rate, rate);
            for (size_t i = 0; i < n; i++)
                sum[i] += rate[i];
        }
        vdi_log(VDI_F64, n, sum, sum);
        for (size_t i = 0; i < n; i++)
            out[first + i] = yy[i] == yy[i] ? top[i] + sum[i] : yy[i];
    }
}
#endif
