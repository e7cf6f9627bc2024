/* kernel/elementwise.h - functions of one and two arguments over arrays
 *
 * Do this:
 *     float x[1000], y[1000];
 *     vdi_exp(VDI_F32, 1000, x, y);                        y may be x
 *     vdi_binary(VDI_F32, VDI_MUL, 1000, x, 1, y, 1, y);   y = x * y
 *     vdi_tensor_binary(VDI_ADD, a, b, c, &err);           any strides, NumPy's broadcasting
 *
 * `dtype` is VDI_F32 or VDI_F64. Arrays are contiguous and need no alignment. An output may be an
 * input itself, but may not overlap one in part. Every function takes NaN to NaN and infinities and
 * signed zeros as IEEE 754 and C's Annex F say, except where noted. Errors in ulp, for finite
 * results that are not denormal, are listed in docs/results/accuracy.md.
 */
#ifndef VDI_KERNEL_ELEMENTWISE_H
#define VDI_KERNEL_ELEMENTWISE_H
#include "cpu.h"

/** Functions of one argument, a row each: the enumerator, the name, and whether the function and
 * its derivative are compiled for each path (OWN) or AVX-512 uses AVX2's (LENT), since the memory
 * is what takes the time, or nobody waits for it. A kernel and its derivative's are made from the
 * row of that name in elementwise_body.h. */
#define VDI__UNARY_LIST(ROW)                    \
    ROW(VDI_EXP, exp, OWN, LENT)                \
    ROW(VDI_LOG, log, OWN, LENT)                \
    ROW(VDI_LOG1P, log1p, OWN, LENT)            \
    ROW(VDI_EXPM1, expm1, OWN, LENT)            \
    ROW(VDI_TANH, tanh, OWN, LENT)              \
    ROW(VDI_SIGMOID, sigmoid, OWN, LENT)        \
    /* log(1 + exp(x)) */                       \
    ROW(VDI_SOFTPLUS, softplus, OWN, OWN)       \
    ROW(VDI_RELU, relu, OWN, LENT)              \
    /* x > 0 ? x : p x */                       \
    ROW(VDI_LEAKY_RELU, leaky_relu, LENT, LENT) \
    /* x > 0 ? x : p (exp(x) - 1) */            \
    ROW(VDI_ELU, elu, OWN, LENT)                \
    ROW(VDI_SQRT, sqrt, LENT, LENT)             \
    /* 1 / sqrt(x), two roundings */            \
    ROW(VDI_RSQRT, rsqrt, LENT, LENT)           \
    ROW(VDI_RECIPROCAL, reciprocal, LENT, LENT) \
    ROW(VDI_ERF, erf, OWN, OWN)                 \
    /* log |Gamma(x)| */                        \
    ROW(VDI_LGAMMA, lgamma, OWN, OWN)           \
    ROW(VDI_DIGAMMA, digamma, OWN, OWN)         \
    ROW(VDI_ABS, abs, LENT, LENT)               \
    ROW(VDI_NEG, neg, LENT, LENT)               \
    ROW(VDI_SQUARE, square, LENT, LENT)         \
    ROW(VDI_SIN, sin, OWN, OWN)                 \
    ROW(VDI_COS, cos, OWN, OWN)                 \
    ROW(VDI_IDENTITY, identity, LENT, LENT)     \
    /* x Phi(x), Phi that of N(0,1) */          \
    ROW(VDI_GELU, gelu, OWN, OWN)
/** Functions of two arguments; max and min are NaN if either argument is. */
#define VDI__BINARY_LIST(ROW) \
    ROW(VDI_ADD, add, OWN)    \
    ROW(VDI_SUB, sub, LENT)   \
    ROW(VDI_MUL, mul, OWN)    \
    ROW(VDI_DIV, div, LENT)   \
    ROW(VDI_MAX, max, LENT)   \
    ROW(VDI_MIN, min, LENT)   \
    ROW(VDI_POW, pow, LENT)
#define VDI__ENUMERATOR(op, name, ...) op,
#define VDI__ONE_MORE(op, name, ...) +1
/** VDI_EXP ... of VDI__UNARY_LIST. `p` below is the parameter of those that have one. */
typedef enum vdi_unary_op { VDI__UNARY_LIST(VDI__ENUMERATOR) } vdi_unary_op;
/** VDI_ADD ... of VDI__BINARY_LIST. */
typedef enum vdi_binary_op { VDI__BINARY_LIST(VDI__ENUMERATOR) } vdi_binary_op;
/** How many there are. */
#define VDI_UNARY_COUNT (0 VDI__UNARY_LIST(VDI__ONE_MORE))
#define VDI_BINARY_COUNT (0 VDI__BINARY_LIST(VDI__ONE_MORE))

/** The op's name, such as "softplus". */
VDI_API const char *vdi_unary_name(vdi_unary_op op);
VDI_API const char *vdi_binary_name(vdi_binary_op op);

/** y[i] = op(x[i]), i < n. */
VDI_API void vdi_unary(vdi_dtype dtype, vdi_unary_op op, double p, size_t n, const void *x,
                       void *y);
/** dx[i] += dy[i] * op'(x[i]), where y = op(x). At a kink the derivative from the left. */
VDI_API void vdi_unary_grad(vdi_dtype dtype, vdi_unary_op op, double p, size_t n, const void *x,
                            const void *y, const void *dy, void *dx);
/** y[i] = op(a[i * a_step], b[i * b_step]); a step is 0 or 1. */
VDI_API void vdi_binary(vdi_dtype dtype, vdi_binary_op op, size_t n, const void *a, int a_step,
                        const void *b, int b_step, void *y);
/** y[i] = value. */
VDI_API void vdi_fill(vdi_dtype dtype, size_t n, double value, void *y);
/** y = alpha x + beta y; with beta = 0, y is not read. */
VDI_API void vdi_axpby(vdi_dtype dtype, size_t n, double alpha, const void *x, double beta,
                       void *y);
/** y[i] += a[i * a_step] * b[i * b_step], fused; a step is 0 or 1. */
VDI_API void vdi_muladd(vdi_dtype dtype, size_t n, const void *a, int a_step, const void *b,
                        int b_step, void *y);
/** y[i] = x[i] held between low and high; NaN stays. */
VDI_API void vdi_clip(vdi_dtype dtype, size_t n, double low, double high, const void *x, void *y);

/** y[i] = f(x[i]): vdi_unary with the function in the name. */
VDI_API void vdi_exp(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_log(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_log1p(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_expm1(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_tanh(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_sigmoid(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_softplus(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_lgamma(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_digamma(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_erf(vdi_dtype dtype, size_t n, const void *x, void *y);

/** y = op(x) over tensors of one shape and dtype, any strides; y may be x. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_unary(vdi_unary_op op, double p, vdi_tensor x,
                                                  vdi_tensor y, vdi_error *err);
/** y = op(a, b); a and b broadcast to the shape of y. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_binary(vdi_binary_op op, vdi_tensor a, vdi_tensor b,
                                                   vdi_tensor y, vdi_error *err);

/* ---- private: the kernels -------------------------------------------------------------------- */

typedef void vdi__unary_fn(size_t n, double p, const void *x, void *y);
/* dx += dy * f'(x), with y = f(x) given */
typedef void vdi__unary_grad_fn(size_t n, double p, const void *x, const void *y, const void *dy,
                                void *dx);
/* steps are 0 (one value for all) or 1 */
typedef void vdi__binary_fn(size_t n, const void *a, int a_step, const void *b, int b_step,
                            void *y);
#define VDI__KERNELS_ELEMENTWISE(X)                                                    \
    X(fill, LENT, void, (size_t n, double value, void *y))                             \
    X(axpby, OWN, void, (size_t n, double alpha, const void *x, double beta, void *y)) \
    X(muladd, OWN, void,                                                               \
      (size_t n, const void *a, int a_step, const void *b, int b_step, void *y))       \
    X(clip, LENT, void, (size_t n, double low, double high, const void *x, void *y))

#endif /* VDI_KERNEL_ELEMENTWISE_H */

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_ELEMENTWISE_C)
#define VDI_KERNEL_ELEMENTWISE_C

VDI__DEF const char *vdi_unary_name(vdi_unary_op op) {
    static const char *const name[] = {
#define VDI__X(op, name, whose, slope) #name,
        VDI__UNARY_LIST(VDI__X)
#undef VDI__X
    };
    return (unsigned)op < VDI_UNARY_COUNT ? name[op] : "?";
}

VDI__DEF const char *vdi_binary_name(vdi_binary_op op) {
    static const char *const name[] = {
#define VDI__X(op, name, whose) #name,
        VDI__BINARY_LIST(VDI__X)
#undef VDI__X
    };
    return (unsigned)op < VDI_BINARY_COUNT ? name[op] : "?";
}

VDI__DEF void vdi_unary(vdi_dtype dtype, vdi_unary_op op, double p, size_t n, const void *x,
                        void *y) {
    vdi__kernels_of(dtype)->unary[op](n, p, x, y);
}
VDI__DEF void vdi_unary_grad(vdi_dtype dtype, vdi_unary_op op, double p, size_t n, const void *x,
                             const void *y, const void *dy, void *dx) {
    vdi__kernels_of(dtype)->unary_grad[op](n, p, x, y, dy, dx);
}
VDI__DEF void vdi_binary(vdi_dtype dtype, vdi_binary_op op, size_t n, const void *a, int a_step,
                         const void *b, int b_step, void *y) {
    vdi__kernels_of(dtype)->binary[op](n, a, a_step, b, b_step, y);
}
VDI__DEF void vdi_fill(vdi_dtype dtype, size_t n, double value, void *y) {
    vdi__kernels_of(dtype)->fill(n, value, y);
}
VDI__DEF void vdi_axpby(vdi_dtype dtype, size_t n, double alpha, const void *x, double beta,
                        void *y) {
    vdi__kernels_of(dtype)->axpby(n, alpha, x, beta, y);
}
VDI__DEF void vdi_muladd(vdi_dtype dtype, size_t n, const void *a, int a_step, const void *b,
                         int b_step, void *y) {
    vdi__kernels_of(dtype)->muladd(n, a, a_step, b, b_step, y);
}
VDI__DEF void vdi_clip(vdi_dtype dtype, size_t n, double low, double high, const void *x, void *y) {
    vdi__kernels_of(dtype)->clip(n, low, high, x, y);
}

VDI__DEF void vdi_exp(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_EXP, 0, n, x, y);
}
VDI__DEF void vdi_log(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_LOG, 0, n, x, y);
}
VDI__DEF void vdi_log1p(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_LOG1P, 0, n, x, y);
}
VDI__DEF void vdi_expm1(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_EXPM1, 0, n, x, y);
}
VDI__DEF void vdi_tanh(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_TANH, 0, n, x, y);
}
VDI__DEF void vdi_sigmoid(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_SIGMOID, 0, n, x, y);
}
VDI__DEF void vdi_softplus(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_SOFTPLUS, 0, n, x, y);
}
VDI__DEF void vdi_lgamma(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_LGAMMA, 0, n, x, y);
}
VDI__DEF void vdi_digamma(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_DIGAMMA, 0, n, x, y);
}
VDI__DEF void vdi_erf(vdi_dtype dtype, size_t n, const void *x, void *y) {
    vdi_unary(dtype, VDI_ERF, 0, n, x, y);
}

/* Rows that are not contiguous pass through a block on the stack. */
#define VDI__STRIP 256

VDI__FN void vdi__strip_gather(vdi_dtype dtype, size_t n, const void *p, int64_t start,
                               int64_t step, void *out) {
    if (dtype == VDI_F32) {
        for (size_t i = 0; i < n; i++)
            ((float *)out)[i] = ((const float *)p)[start + (int64_t)i * step];
    } else {
        for (size_t i = 0; i < n; i++)
            ((double *)out)[i] = ((const double *)p)[start + (int64_t)i * step];
    }
}
VDI__FN void vdi__strip_scatter(vdi_dtype dtype, size_t n, const void *in, void *p, int64_t start,
                                int64_t step) {
    if (dtype == VDI_F32) {
        for (size_t i = 0; i < n; i++)
            ((float *)p)[start + (int64_t)i * step] = ((const float *)in)[i];
    } else {
        for (size_t i = 0; i < n; i++)
            ((double *)p)[start + (int64_t)i * step] = ((const double *)in)[i];
    }
}

/* Drop axes of extent 1 and join neighbours that lie one behind the other in all of t[0..count), so
 * that rows get long. */
VDI__FN void vdi__tensors_merge(vdi_tensor *t, int count) {
    int n = 0;
    for (int i = 0; i < t[0].ndim; i++) {
        bool join = n > 0;
        if (t[0].shape[i] == 1) continue;
        for (int k = 0; k < count; k++)
            join = join && t[k].stride[n - 1] == t[k].stride[i] * t[k].shape[i];
        for (int k = 0; k < count; k++) {
            if (join)
                t[k].shape[n - 1] *= t[k].shape[i];
            else
                t[k].shape[n] = t[k].shape[i];
            t[k].stride[join ? n - 1 : n] = t[k].stride[i];
        }
        n += !join;
    }
    for (int k = 0; k < count; k++) {
        t[k].ndim = n ? n : 1;
        if (n == 0) t[k].shape[0] = t[k].stride[0] = 1;
    }
}

VDI__DEF vdi_status vdi_tensor_unary(vdi_unary_op op, double p, vdi_tensor x, vdi_tensor y,
                                     vdi_error *err) {
    static const char where[] = "vdi_tensor_unary";
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    union {
        float f32[VDI__STRIP];
        double f64[VDI__STRIP];
    } strip;
    if ((unsigned)op >= VDI_UNARY_COUNT)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%d is not an operation", (int)op);
    if (!vdi_tensor_ok(x) || !vdi_tensor_ok(y) || !vdi_tensor_same_shape(x, y)) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "%s: x is %s, y is %s: they have to be alike", vdi_unary_name(op),
                             vdi_tensor_shape_text(x, a), vdi_tensor_shape_text(y, b));
    }
    if (x.dtype != y.dtype || !vdi_dtype_is_real(x.dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where,
                             "%s: x is %s, y is %s: both have to be float32 or float64",
                             vdi_unary_name(op), vdi_dtype_name(x.dtype), vdi_dtype_name(y.dtype));
    }
    if (vdi_tensor_count(y) == 0) return VDI_OK;
    vdi_tensor t[2];
    t[0] = y;
    t[1] = x;
    vdi__tensors_merge(t, 2);
    const int last = t[0].ndim - 1;
    const int64_t ys = t[0].stride[last], xs = t[1].stride[last];
    const size_t n = (size_t)t[0].shape[last];
    for (vdi__rows r = vdi__rows_begin(t[0]); r.left > 0; vdi__rows_next(&r, t[0])) {
        const int64_t y0 = vdi__rows_offset(&r, t[0]), x0 = vdi__rows_offset(&r, t[1]);
        for (size_t i = 0; i < n;) {
            const size_t k = xs == 1 && ys == 1 ? n : VDI__MIN(n - i, VDI__STRIP);
            const void *from = vdi__tensor_at(x, x0 + (int64_t)i * xs);
            void *to = ys == 1 ? vdi__tensor_at(y, y0 + (int64_t)i) : (void *)&strip;
            if (xs != 1) {
                vdi__strip_gather(x.dtype, k, x.data, x0 + (int64_t)i * xs, xs, &strip);
                from = &strip;
            }
            vdi_unary(x.dtype, op, p, k, from, to);
            if (ys != 1) vdi__strip_scatter(y.dtype, k, &strip, y.data, y0 + (int64_t)i * ys, ys);
            i += k;
        }
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_tensor_binary(vdi_binary_op op, vdi_tensor a, vdi_tensor b, vdi_tensor y,
                                      vdi_error *err) {
    static const char where[] = "vdi_tensor_binary";
    char sa[VDI_SHAPE_TEXT], sb[VDI_SHAPE_TEXT], sy[VDI_SHAPE_TEXT];
    union {
        float f32[VDI__STRIP];
        double f64[VDI__STRIP];
    } strip[3];
    if ((unsigned)op >= VDI_BINARY_COUNT)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%d is not an operation", (int)op);
    vdi_tensor t[3];
    t[0] = y;
    t[1] = vdi_tensor_broadcast_to(a, VDI__MAX(y.ndim, 0), y.shape);
    t[2] = vdi_tensor_broadcast_to(b, VDI__MAX(y.ndim, 0), y.shape);
    if (!vdi_tensor_ok(y) || !vdi_tensor_ok(t[1]) || !vdi_tensor_ok(t[2])) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "%s: a is %s and b is %s: they do not broadcast to y, which is %s",
                             vdi_binary_name(op), vdi_tensor_shape_text(a, sa),
                             vdi_tensor_shape_text(b, sb), vdi_tensor_shape_text(y, sy));
    }
    if (a.dtype != y.dtype || b.dtype != y.dtype || !vdi_dtype_is_real(y.dtype)) {
        return vdi_error_set(
            err, VDI_ERR_DTYPE, where,
            "%s: a is %s, b is %s, y is %s: all have to be float32 or float64, and alike",
            vdi_binary_name(op), vdi_dtype_name(a.dtype), vdi_dtype_name(b.dtype),
            vdi_dtype_name(y.dtype));
    }
    if (vdi_tensor_count(y) == 0) return VDI_OK;
    vdi__tensors_merge(t, 3);
    const int last = t[0].ndim - 1;
    const size_t n = (size_t)t[0].shape[last];
    int64_t step[3];
    bool direct = true; /* every row is contiguous, or an input's single value */
    for (int k = 0; k < 3; k++) {
        step[k] = t[k].stride[last];
        direct = direct && (step[k] == 1 || (k > 0 && step[k] == 0));
    }
    for (vdi__rows r = vdi__rows_begin(t[0]); r.left > 0; vdi__rows_next(&r, t[0])) {
        int64_t at[3];
        for (int k = 0; k < 3; k++)
            at[k] = vdi__rows_offset(&r, t[k]);
        for (size_t i = 0; i < n;) {
            const size_t count = direct ? n : VDI__MIN(n - i, VDI__STRIP);
            const void *in[3] = {NULL, NULL, NULL};
            for (int k = 1; k < 3; k++) {
                in[k] = vdi__tensor_at(t[k], at[k] + (int64_t)i * step[k]);
                if (step[k] != 0 && step[k] != 1) {
                    vdi__strip_gather(y.dtype, count, t[k].data, at[k] + (int64_t)i * step[k],
                                      step[k], &strip[k]);
                    in[k] = &strip[k];
                }
            }
            void *to = step[0] == 1 ? vdi__tensor_at(y, at[0] + (int64_t)i) : (void *)&strip[0];
            vdi_binary(y.dtype, op, count, in[1], step[1] != 0, in[2], step[2] != 0, to);
            if (step[0] != 1) {
                vdi__strip_scatter(y.dtype, count, &strip[0], y.data, at[0] + (int64_t)i * step[0],
                                   step[0]);
            }
            i += count;
        }
    }
    return VDI_OK;
}
#endif
