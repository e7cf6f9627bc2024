/* kernel/elementwise.h - functions of one and two arguments over arrays
 *
 * Do this:
 *     float x[1000], y[1000];
 *     vdi_exp(VDI_F32, 1000, x, y);                                  y may be x
 *     vdi_binary(VDI_F32, VDI_MUL, 1000, x, 1, y, 1, y);             y = x * y
 *     vdi_tensor_binary(VDI_ADD, a, b, c, &err);                     any strides, NumPy's broadcasting
 *
 * `dtype` is VDI_F32 or VDI_F64. Arrays are contiguous and need no alignment. An output may be an input itself, but may not
 * overlap one in part. Every function takes NaN to NaN and infinities and signed zeros as IEEE 754 and C's Annex F say,
 * except where noted. Errors in ulp, for finite results that are not denormal, are listed in docs/kernels.md.
 */
#ifndef VDI_KERNEL_ELEMENTWISE_H
#define VDI_KERNEL_ELEMENTWISE_H
#include "cpu.h"

/** Functions of one argument. `p` is the parameter of those that have one. */
typedef enum vdi_unary_op {
    VDI_EXP = 0,
    VDI_LOG,
    VDI_LOG1P,
    VDI_EXPM1,
    VDI_TANH,
    VDI_SIGMOID,
    VDI_SOFTPLUS,   /**< log(1 + exp(x)) */
    VDI_RELU,
    VDI_LEAKY_RELU, /**< x > 0 ? x : p x */
    VDI_ELU,        /**< x > 0 ? x : p (exp(x) - 1) */
    VDI_SQRT,
    VDI_RSQRT,      /**< 1 / sqrt(x), two roundings */
    VDI_RECIPROCAL,
    VDI_ERF,
    VDI_LGAMMA,     /**< log |Gamma(x)| */
    VDI_DIGAMMA,
    VDI_ABS,
    VDI_NEG,
    VDI_SQUARE,
    VDI_SIN,
    VDI_COS,
    VDI_IDENTITY
} vdi_unary_op;
#define VDI_UNARY_COUNT 22

/** Functions of two arguments. */
typedef enum vdi_binary_op {
    VDI_ADD = 0,
    VDI_SUB,
    VDI_MUL,
    VDI_DIV,
    VDI_MAX, /**< NaN if either is NaN */
    VDI_MIN, /**< NaN if either is NaN */
    VDI_POW
} vdi_binary_op;
#define VDI_BINARY_COUNT 7

/* One kernel of each kind per op; the lists give the names by which `vdi info --kernels` and the tests know them. */
#define VDI__UNARY_LIST(X) \
    X(exp) X(log) X(log1p) X(expm1) X(tanh) X(sigmoid) X(softplus) X(relu) X(leaky_relu) X(elu) X(sqrt) X(rsqrt) X(reciprocal) \
    X(erf) X(lgamma) X(digamma) X(abs) X(neg) X(square) X(sin) X(cos) X(identity)
#define VDI__BINARY_LIST(X) X(add) X(sub) X(mul) X(div) X(max) X(min) X(pow)
typedef void vdi__unary_fn(size_t n, double p, const void *x, void *y);
/* dx += dy * f'(x), with y = f(x) given */
typedef void vdi__unary_grad_fn(size_t n, double p, const void *x, const void *y, const void *dy, void *dx);
/* steps are 0 (one value for all) or 1 */
typedef void vdi__binary_fn(size_t n, const void *a, int a_step, const void *b, int b_step, void *y);
#define VDI__KERNELS_ELEMENTWISE(X) \
    X(fill, void, (size_t n, double value, void *y)) \
    X(axpby, void, (size_t n, double alpha, const void *x, double beta, void *y)) \
    X(muladd, void, (size_t n, const void *a, int a_step, const void *b, int b_step, void *y)) \
    X(clip, void, (size_t n, double low, double high, const void *x, void *y))

/** The op's name, such as "softplus". */
VDI_API const char *vdi_unary_name(vdi_unary_op op);
VDI_API const char *vdi_binary_name(vdi_binary_op op);

/** y[i] = op(x[i]), i < n. */
VDI_API void vdi_unary(vdi_dtype dtype, vdi_unary_op op, double p, size_t n, const void *x, void *y);
/** dx[i] += dy[i] * op'(x[i]), where y = op(x). At a kink the derivative from the left. */
VDI_API void vdi_unary_grad(vdi_dtype dtype, vdi_unary_op op, double p, size_t n, const void *x, const void *y, const void *dy, void *dx);
/** y[i] = op(a[i * a_step], b[i * b_step]); a step is 0 or 1. */
VDI_API void vdi_binary(vdi_dtype dtype, vdi_binary_op op, size_t n, const void *a, int a_step, const void *b, int b_step, void *y);
/** y[i] = value. */
VDI_API void vdi_fill(vdi_dtype dtype, size_t n, double value, void *y);
/** y = alpha x + beta y; with beta = 0, y is not read. */
VDI_API void vdi_axpby(vdi_dtype dtype, size_t n, double alpha, const void *x, double beta, void *y);
/** y[i] += a[i * a_step] * b[i * b_step], fused; a step is 0 or 1. */
VDI_API void vdi_muladd(vdi_dtype dtype, size_t n, const void *a, int a_step, const void *b, int b_step, void *y);
/** y[i] = x[i] held between low and high; NaN stays. */
VDI_API void vdi_clip(vdi_dtype dtype, size_t n, double low, double high, const void *x, void *y);

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
VDI_API VDI_NODISCARD vdi_status vdi_tensor_unary(vdi_unary_op op, double p, vdi_tensor x, vdi_tensor y, vdi_error *err);
/** y = op(a, b); a and b broadcast to the shape of y. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_binary(vdi_binary_op op, vdi_tensor a, vdi_tensor b, vdi_tensor y, vdi_error *err);

#endif /* VDI_KERNEL_ELEMENTWISE_H */
