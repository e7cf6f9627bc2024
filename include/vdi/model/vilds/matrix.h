/* model/vilds/matrix.h - small square matrices in float64, as the algebra of one bin needs them
 *
 * Nothing public. All are row-major (d,d); what a function adds to, it adds to.
 */
#ifndef VDI_MODEL_VILDS_MATRIX_H
#define VDI_MODEL_VILDS_MATRIX_H
#include "../../linalg/dense.h"
#endif /* VDI_MODEL_VILDS_MATRIX_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_MATRIX_C)
#define VDI_MODEL_VILDS_MATRIX_C

#if VDI__GNU && !defined(__clang__)
#define VDI__VM_UNROLL _Pragma("GCC unroll 4")
#else
/* clang unrolls constant loops by itself, and would complain about the others */
#define VDI__VM_UNROLL
#endif
/* f(d, ...) with d a constant where it is small: these run once a bin. */
#define VDI__VM_SIZES(d, f, ...)      \
    switch (d) {                      \
    case 1: f(1, __VA_ARGS__); break; \
    case 2: f(2, __VA_ARGS__); break; \
    case 3: f(3, __VA_ARGS__); break; \
    case 4: f(4, __VA_ARGS__); break; \
    default: f(d, __VA_ARGS__);       \
    }

/* c += s op(a) op(b), (d,d) each. */
VDI__FN void vdi__vm_mul(int64_t d, double s, const double *a, bool ta, const double *b, bool tb,
                         double *c) {
    for (int64_t i = 0; i < d; i++) {
        for (int64_t k = 0; k < d; k++) {
            double x = s * (ta ? a[k * d + i] : a[i * d + k]);
            for (int64_t j = 0; j < d; j++)
                c[i * d + j] += x * (tb ? b[j * d + k] : b[k * d + j]);
        }
    }
}

/* c += a a', a (d,d) */
VDI__INLINE void vdi__vm_square_body(int64_t d, const double *a, double *c) {
    VDI__VM_UNROLL for (int64_t i = 0; i < d; i++) {
        VDI__VM_UNROLL for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            VDI__VM_UNROLL for (int64_t k = 0; k < d; k++) sum += a[i * d + k] * a[j * d + k];
            c[i * d + j] += sum;
            if (j < i) c[j * d + i] += sum;
        }
    }
}

VDI__FN void vdi__vm_square(int64_t d, const double *a, double *c) {
    VDI__VM_SIZES(d, vdi__vm_square_body, a, c);
}

/* c += (g + g') a: what a' bar g of c = a a' comes to */
VDI__INLINE void vdi__vm_square_back_body(int64_t d, const double *g, const double *a, double *c) {
    VDI__VM_UNROLL for (int64_t i = 0; i < d; i++) {
        VDI__VM_UNROLL for (int64_t k = 0; k < d; k++) {
            const double x = g[i * d + k] + g[k * d + i];
            VDI__VM_UNROLL for (int64_t j = 0; j < d; j++) c[i * d + j] += x * a[k * d + j];
        }
    }
}

VDI__FN void vdi__vm_square_back(int64_t d, const double *g, const double *a, double *c) {
    VDI__VM_SIZES(d, vdi__vm_square_back_body, g, a, c);
}

/* y += s op(a) x */
VDI__FN void vdi__vm_apply(int64_t d, double s, const double *a, bool ta, const double *x,
                           double *y) {
    for (int64_t i = 0; i < d; i++) {
        double sum = 0;
        for (int64_t j = 0; j < d; j++)
            sum += (ta ? a[j * d + i] : a[i * d + j]) * x[j];
        y[i] += s * sum;
    }
}

/* a += s x y' */
VDI__FN void vdi__vm_outer(int64_t d, double s, const double *x, const double *y, double *a) {
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = 0; j < d; j++)
            a[i * d + j] += s * x[i] * y[j];
    }
}

VDI__FN void vdi__vm_add(int64_t n, double s, const double *x, double *y) {
    for (int64_t i = 0; i < n; i++)
        y[i] += s * x[i];
}

VDI__FN double vdi__vm_dot(int64_t n, const double *x, const double *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* sum over bins from .. to of (T,dd) blocks: (dd) */
VDI__FN void vdi__vm_sum(int64_t dd, const double *blocks, int64_t from, int64_t to, double *sum) {
    if (to > from) {
        vdi_sum_rows(VDI_F64, (size_t)(to - from), (size_t)dd, blocks + from * dd, (size_t)dd,
                     false, sum);
    } else {
        memset(sum, 0, (size_t)dd * sizeof *sum);
    }
}

/* to_t += s x for `count` blocks of dd */
VDI__FN void vdi__vm_spread(int64_t dd, int64_t count, double s, const double *x, double *to) {
    for (int64_t t = 0; t < count; t++, to += dd) {
        for (int64_t k = 0; k < dd; k++)
            to[k] += s * x[k];
    }
}

/* The longest eigenvalue, from the norm of a high power: A^(2^k) scaled at every squaring. `work`
 * (2 d d). */
VDI__FN double vdi__vm_radius(int64_t d, const double *a, double *work) {
    double *p = work;
    double *q = work + d * d;
    double log_norm = 0;
    double weight = 1;
    memcpy(p, a, (size_t)(d * d) * sizeof *p);
    for (int k = 0; k < 24; k++) {
        double norm = sqrt(vdi__vm_dot(d * d, p, p));
        if (!(norm > 0)) return norm == 0 ? 0 : (double)NAN;
        log_norm += log(norm) * weight;
        for (int64_t i = 0; i < d * d; i++) {
            p[i] /= norm;
            q[i] = 0;
        }
        vdi__vm_mul(d, 1, p, false, p, false, q);
        double *swap = p;
        p = q;
        q = swap;
        weight *= 0.5;
    }
    return exp(log_norm);
}

/* P = A P A' + Q by doubling; A has to be stable. `work` (3 d d). */
VDI__FN void vdi__vm_stationary(int64_t d, const double *A, const double *Q, double *P,
                                double *work) {
    size_t bytes = (size_t)(d * d) * sizeof *P;
    double *a = work, *b = work + d * d, *c = work + 2 * d * d;
    memcpy(P, Q, bytes);
    memcpy(a, A, bytes);
    for (int k = 0; k < 40; k++) {
        memset(b, 0, bytes);
        vdi__vm_mul(d, 1, a, false, P, false, b);
        memset(c, 0, bytes);
        vdi__vm_mul(d, 1, b, false, a, true, c);
        double grew = 0, size = 0;
        for (int64_t i = 0; i < d * d; i++) {
            grew = VDI__MAX(grew, fabs(c[i]));
            size = VDI__MAX(size, fabs(P[i]));
        }
        vdi__vm_add(d * d, 1, c, P);
        if (!(grew > 1e-16 * size)) return;
        memset(b, 0, bytes);
        vdi__vm_mul(d, 1, a, false, a, false, b);
        memcpy(a, b, bytes);
    }
}
#endif
