/* kernel/elementwise_body.h - the loops over arrays, of functions of one and two arguments; one
 * pass
 *
 * What costs less than a call shares one loop, which asks for the op once for every four vectors;
 * the SHORT ones, of which small nodes of the tape are made, have their own. Of the rest, a
 * function that is used often has a loop of its own, and the others one that calls them: a loop
 * costs as much to compile as a function.
 */

/* ---- one argument ------------------------------------------------------------------------------
 * A row: the op, its name, how its kernel runs (SIMPLE, SHORT, OFTEN, CALLED), f(v), and its
 * derivative as a function of v = x and w = f(x); q is the parameter. THROUGH: a kernel gives the
 * derivative.
 */
#define VDI__POSITIVE VDI_VGT(v, VDI_VZERO())
#define VDI__ROWS(SIMPLE, SHORT, OFTEN, CALLED, OFTEN_THROUGH, CALLED_THROUGH)                    \
    OFTEN(VDI_EXP, exp, VDI_PN(vdi__exp)(v), w)                                                   \
    OFTEN(VDI_LOG, log, VDI_PN(vdi__log)(v), VDI_VDIV(VDI__ONE, v))                               \
    CALLED(VDI_LOG1P, log1p, VDI_PN(vdi__log1p)(v), VDI_VDIV(VDI__ONE, VDI_VADD(VDI__ONE, v)))    \
    CALLED(VDI_EXPM1, expm1, VDI_PN(vdi__expm1)(v), VDI_VADD(w, VDI__ONE))                        \
    OFTEN(VDI_TANH, tanh, VDI_PN(vdi__tanh)(v), VDI_VFNMA(w, w, VDI__ONE))                        \
    OFTEN(VDI_SIGMOID, sigmoid, VDI_PN(vdi__sigmoid)(v), VDI_VMUL(w, VDI_VSUB(VDI__ONE, w)))      \
    OFTEN_THROUGH(VDI_SOFTPLUS, softplus, VDI_PN(vdi__softplus)(v), VDI_PN(vdi__unary_sigmoid))   \
    SHORT(VDI_RELU, relu, VDI_VSEL(VDI_VLE(v, VDI_VZERO()), VDI_VZERO(), v),                      \
          VDI_VSEL(VDI__POSITIVE, VDI__ONE, VDI_VZERO()))                                         \
    SIMPLE(VDI_LEAKY_RELU, leaky_relu, VDI_VSEL(VDI__POSITIVE, v, VDI_VMUL(q, v)),                \
           VDI_VSEL(VDI__POSITIVE, VDI__ONE, q))                                                  \
    CALLED(VDI_ELU, elu,                                                                          \
           VDI_VSEL(VDI__POSITIVE, v, VDI_VMUL(q, VDI_PN(vdi__expm1)(VDI_VMIN(VDI_VZERO(), v)))), \
           VDI_VSEL(VDI__POSITIVE, VDI__ONE, VDI_VADD(w, q)))                                     \
    SIMPLE(VDI_SQRT, sqrt, VDI_VSQRT(v), VDI_VDIV(VDI__K(0.5), w))                                \
    SIMPLE(VDI_RSQRT, rsqrt, VDI_VDIV(VDI__ONE, VDI_VSQRT(v)),                                    \
           VDI_VMUL(VDI_VMUL(VDI__K(-0.5), w), VDI_VMUL(w, w)))                                   \
    SIMPLE(VDI_RECIPROCAL, reciprocal, VDI_VDIV(VDI__ONE, v), VDI_VNEG(VDI_VMUL(w, w)))           \
    CALLED_THROUGH(VDI_ERF, erf, VDI_PN(vdi__erf)(v), VDI_PN(vdi__unary_gauss))                   \
    OFTEN_THROUGH(VDI_LGAMMA, lgamma, VDI_PN(vdi__lgamma)(v), VDI_PN(vdi__unary_digamma))         \
    CALLED_THROUGH(VDI_DIGAMMA, digamma, VDI_PN(vdi__digamma)(v), VDI_PN(vdi__unary_trigamma))    \
    SIMPLE(VDI_ABS, abs, VDI_VABS(v), VDI_VSEL(VDI__POSITIVE, VDI__ONE, VDI__K(-1)))              \
    SIMPLE(VDI_NEG, neg, VDI_VNEG(v), VDI__K(-1))                                                 \
    SIMPLE(VDI_SQUARE, square, VDI_VMUL(v, v), VDI_VADD(v, v))                                    \
    CALLED_THROUGH(VDI_SIN, sin, VDI_PN(vdi__sin)(v), VDI_PN(vdi__unary_cos))                     \
    CALLED_THROUGH(VDI_COS, cos, VDI_PN(vdi__cos)(v), VDI_PN(vdi__unary_minus_sin))               \
    SIMPLE(VDI_IDENTITY, identity, v, VDI__ONE)                                                   \
    CALLED_THROUGH(VDI_GELU, gelu, VDI_PN(vdi__gelu)(v), VDI_PN(vdi__unary_gelu_slope))

#define VDI__BLOCK 4
/* Vector k of a block, of which `left` reals are there; the lanes beyond are 1, at which
   every function and slope is finite: a program may run with floating-point traps. */
VDI_LOCAL VDI_V VDI_PN(vdi__block_load)(const VDI_T *p, size_t k, size_t left) {
    if (left >= VDI__BLOCK * VDI_W || left >= (k + 1) * VDI_W) return VDI_VLOAD(p + k * VDI_W);
    if (left <= k * VDI_W) return VDI__ONE;
    return VDI_VLOADOR(p + k * VDI_W, VDI_VTAIL(left - k * VDI_W), VDI__ONE);
}
VDI_LOCAL void VDI_PN(vdi__block_store)(VDI_T *p, size_t k, size_t left, VDI_V v) {
    if (left >= VDI__BLOCK * VDI_W || left >= (k + 1) * VDI_W)
        VDI_VSTORE(p + k * VDI_W, v);
    else if (left > k * VDI_W)
        VDI_VSTORET(p + k * VDI_W, VDI_VTAIL(left - k * VDI_W), v);
}
#define VDI__BLOCK_AT(k, result)        \
    {                                   \
        const VDI_V v = a[k], w = b[k]; \
        (void)v;                        \
        (void)w;                        \
        a[k] = result;                  \
    }
#define VDI__BLOCK_CASE(op, result) \
    case op:                        \
        VDI__BLOCK_AT(0, result)    \
        VDI__BLOCK_AT(1, result)    \
        VDI__BLOCK_AT(2, result)    \
        VDI__BLOCK_AT(3, result)    \
        break;
#define VDI__BLOCK_NEXT(n) (n -= VDI__MIN(n, VDI__BLOCK * VDI_W))

#define VDI__NO_CASE(op, name, value, slope)
#define VDI__VALUE_CASE(op, name, value, slope) VDI__BLOCK_CASE(op, value)
#define VDI__SLOPE_CASE(op, name, value, slope) VDI__BLOCK_CASE(op, slope)

VDI_SHARED void VDI_PN(vdi__simple_values)(vdi_unary_op op, size_t n, double p, const void *x_,
                                           void *y_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    const VDI_V q = VDI_VSET1((VDI_T)p);
    for (; n > 0; VDI__BLOCK_NEXT(n)) {
        VDI_V a[VDI__BLOCK], b[VDI__BLOCK];
        VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
            a[k] = b[k] = VDI_PN(vdi__block_load)(x, k, n);
        }
        switch (op) {
            VDI__ROWS(VDI__VALUE_CASE, VDI__VALUE_CASE, VDI__NO_CASE, VDI__NO_CASE, VDI__NO_CASE,
                      VDI__NO_CASE)
        default: break;
        }
        VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
            VDI_PN(vdi__block_store)(y, k, n, a[k]);
        }
        x += VDI__BLOCK * VDI_W;
        y += VDI__BLOCK * VDI_W;
    }
    (void)q;
}

/* dx += dy * f' */
VDI_SHARED void VDI_PN(vdi__simple_slopes)(vdi_unary_op op, size_t n, double p, const void *x_,
                                           const void *y_, const void *dy_, void *dx_) {
    const VDI_T *x = (const VDI_T *)x_, *y = (const VDI_T *)y_, *dy = (const VDI_T *)dy_;
    VDI_T *dx = (VDI_T *)dx_;
    const VDI_V q = VDI_VSET1((VDI_T)p);
    for (; n > 0; VDI__BLOCK_NEXT(n)) {
        VDI_V a[VDI__BLOCK], b[VDI__BLOCK];
        VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
            a[k] = VDI_PN(vdi__block_load)(x, k, n);
            b[k] = VDI_PN(vdi__block_load)(y, k, n);
        }
        switch (op) {
            VDI__ROWS(VDI__SLOPE_CASE, VDI__SLOPE_CASE, VDI__SLOPE_CASE, VDI__SLOPE_CASE,
                      VDI__NO_CASE, VDI__NO_CASE)
        default: break;
        }
        VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
            const VDI_V d = VDI_PN(vdi__block_load)(dy, k, n);
            const VDI_V sum = VDI_VFMA(d, a[k], VDI_PN(vdi__block_load)(dx, k, n));
            VDI_PN(vdi__block_store)(dx, k, n, sum);
        }
        x += VDI__BLOCK * VDI_W;
        y += VDI__BLOCK * VDI_W;
        dy += VDI__BLOCK * VDI_W;
        dx += VDI__BLOCK * VDI_W;
    }
    (void)q;
}
#undef VDI__NO_CASE
#undef VDI__VALUE_CASE
#undef VDI__SLOPE_CASE

/* ---- two arguments --------------------------------------------------------------------------- */

#define VDI__PAIRS(SIMPLE, SHORT)                                                 \
    SHORT(VDI_ADD, add, VDI_VADD(v, w))                                           \
    SIMPLE(VDI_SUB, sub, VDI_VSUB(v, w))                                          \
    SHORT(VDI_MUL, mul, VDI_VMUL(v, w))                                           \
    SIMPLE(VDI_DIV, div, VDI_VDIV(v, w))                                          \
    /* v + w is NaN where either is, and only there once the comparison failed */ \
    SIMPLE(VDI_MAX, max, VDI_VSEL(VDI_VNE(v, v), v, VDI_VMAX(v, w)))              \
    SIMPLE(VDI_MIN, min, VDI_VSEL(VDI_VNE(v, v), v, VDI_VMIN(v, w)))

VDI_SHARED void VDI_PN(vdi__simple_pairs)(vdi_binary_op op, size_t n, const void *x_, int x_step,
                                          const void *y_, int y_step, void *to_) {
    const VDI_T *x = (const VDI_T *)x_, *y = (const VDI_T *)y_;
    VDI_T *to = (VDI_T *)to_;
    if (n == 0) return;
    const VDI_V one_x = VDI_VSET1(x[0]), one_y = VDI_VSET1(y[0]);
    for (; n > 0; VDI__BLOCK_NEXT(n)) {
        VDI_V a[VDI__BLOCK], b[VDI__BLOCK];
        VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
            a[k] = x_step ? VDI_PN(vdi__block_load)(x, k, n) : one_x;
            b[k] = y_step ? VDI_PN(vdi__block_load)(y, k, n) : one_y;
        }
        switch (op) {
#define VDI__PAIR_CASE(op, name, result) VDI__BLOCK_CASE(op, result)
            VDI__PAIRS(VDI__PAIR_CASE, VDI__PAIR_CASE)
#undef VDI__PAIR_CASE
        default: break;
        }
        VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
            VDI_PN(vdi__block_store)(to, k, n, a[k]);
        }
        x += VDI__BLOCK * VDI_W;
        y += VDI__BLOCK * VDI_W;
        to += VDI__BLOCK * VDI_W;
    }
}
/* libm's power: it is right in every corner, and no model spends its time here */
VDI_KERNEL void VDI_PN(vdi__binary_pow)(size_t n, const void *a_, int a_step, const void *b_,
                                        int b_step, void *y_) {
    const VDI_T *a = (const VDI_T *)a_, *b = (const VDI_T *)b_;
    VDI_T *y = (VDI_T *)y_;
    for (size_t i = 0; i < n; i++, a += a_step, b += b_step)
        y[i] = VDI__LIBM(pow)(*a, *b);
}

/* ---- loops of their own ---------------------------------------------------------------------- */

#define VDI__LOAD(p) (whole ? VDI_VLOAD((p) + i) : VDI_VLOADOR((p) + i, VDI_VTAIL(n - i), VDI__ONE))
/* y[i] = result, of what `given` declares: for the whole vectors, then for what is left over */
#define VDI__EACH(given, result)                                          \
    {                                                                     \
        size_t i = 0;                                                     \
        for (VDI__UNUSED bool whole = true; n - i >= VDI_W; i += VDI_W) { \
            given const VDI_V r = result;                                 \
            VDI_VSTORE(y + i, r);                                         \
        }                                                                 \
        for (VDI__UNUSED bool whole = false; i < n; i = n) {              \
            given const VDI_V r = result;                                 \
            VDI_VSTORET(y + i, VDI_VTAIL(n - i), r);                      \
        }                                                                 \
    }

#define VDI__SIMPLE_PAIR(op, name, result)                                                         \
    VDI_KERNEL void VDI_PN(vdi__binary_##name)(size_t n, const void *a, int a_step, const void *b, \
                                               int b_step, void *y) {                              \
        VDI_PN(vdi__simple_pairs)(op, n, a, a_step, b, b_step, y);                                 \
    }
#if VDI_FALLBACK
#define VDI__SHORT_PAIR VDI__SIMPLE_PAIR
#else
#define VDI__SHORT_PAIR(op, name, result)                                              \
    VDI_KERNEL void VDI_PN(vdi__binary_##name)(size_t n, const void *a_, int a_step,   \
                                               const void *b_, int b_step, void *y_) { \
        const VDI_T *a = (const VDI_T *)a_, *b = (const VDI_T *)b_;                    \
        VDI_T *y = (VDI_T *)y_;                                                        \
        if (n == 0) return;                                                            \
        const VDI_V one_a = VDI_VSET1(a[0]), one_b = VDI_VSET1(b[0]);                  \
        VDI__EACH(const VDI_V v = a_step ? VDI__LOAD(a) : one_a;                       \
                  const VDI_V w = b_step ? VDI__LOAD(b) : one_b;, result)              \
    }
#endif
VDI__PAIRS(VDI__SIMPLE_PAIR, VDI__SHORT_PAIR)
#undef VDI__SIMPLE_PAIR
#undef VDI__SHORT_PAIR
#undef VDI__PAIRS

VDI_KERNEL void VDI_PN(vdi__kernel_muladd)(size_t n, const void *a_, int a_step, const void *b_,
                                           int b_step, void *y_) {
    const VDI_T *a = (const VDI_T *)a_, *b = (const VDI_T *)b_;
    VDI_T *y = (VDI_T *)y_;
    if (n == 0) return;
    const VDI_V one_a = VDI_VSET1(a[0]), one_b = VDI_VSET1(b[0]);
    VDI__EACH(,
              VDI_VFMA(a_step ? VDI__LOAD(a) : one_a, b_step ? VDI__LOAD(b) : one_b, VDI__LOAD(y)))
}

VDI_KERNEL void VDI_PN(vdi__kernel_fill)(size_t n, double value, void *y_) {
    VDI_T *y = (VDI_T *)y_;
    const VDI_V v = VDI_VSET1((VDI_T)value);
    VDI__EACH(, v)
}

VDI_KERNEL void VDI_PN(vdi__kernel_axpby)(size_t n, double alpha, const void *x_, double beta,
                                          void *y_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    const VDI_V a = VDI_VSET1((VDI_T)alpha), b = VDI_VSET1((VDI_T)beta);
    if (beta == 0) {
        VDI__EACH(, VDI_VMUL(a, VDI__LOAD(x)))
    } else if (beta == 1) {
        VDI__EACH(, VDI_VFMA(a, VDI__LOAD(x), VDI__LOAD(y)))
    } else {
        VDI__EACH(, VDI_VFMA(a, VDI__LOAD(x), VDI_VMUL(b, VDI__LOAD(y))))
    }
}

/* NaN fails both comparisons and comes out as it is */
VDI_KERNEL void VDI_PN(vdi__kernel_clip)(size_t n, double low, double high, const void *x_,
                                         void *y_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    const VDI_V l = VDI_VSET1((VDI_T)low), h = VDI_VSET1((VDI_T)high);
    VDI__EACH(, VDI_VMIN(h, VDI_VMAX(l, VDI__LOAD(x))))
}

/* Phi(-a) = e r: e = exp(-a^2/2) and r = p(t)/(a + 3), t = (a - 3)/(a + 3), a polynomial through
 * Chebyshev's nodes (2^-29.6 up to 16, 2^-60.6 up to 40). e is made of the rounded a^2; what that
 * lost is found from two halves of a, and r corrected for it. */
VDI_SHARED VDI_V VDI_PN(vdi__normal_tail)(VDI_V a, VDI_V *e) {
#if VDI__REAL == 32
    static const VDI_T c[] = {0.7290837f,     -0.509332f,    0.23001768f,   -0.04726279f,
                              -0.01046231f,   0.0069700815f, 0.0010242948f, -0.0010347822f,
                              -0.0002450018f, 0.0001334796f, 5.565083e-05f};
#else
    static const VDI_T c[] = {
        0.729083690133373,       -0.5093319819174894,     0.23001771997460096,
        -0.04726302514298596,    -0.010462867023138608,   0.006972621241015095,
        0.001027592254902524,    -0.0010458286323986581,  -0.00025657529429685196,
        0.000154394558691261,    7.881230121213137e-05,   -1.324659540582521e-05,
        -2.0687520628770727e-05, -3.5154820368201025e-06, 3.6356292216830618e-06,
        2.2502257506645233e-06,  1.5390315753327153e-08,  -5.803869726746219e-07,
        -2.8022948751808496e-07, 2.4780021218134523e-08,  9.751359544621947e-08,
        4.1223532302048795e-08,  -1.1303335015890852e-08, -1.5904007680854672e-08,
        -2.376781710274358e-09,  2.2330976025994988e-09,  7.512581283349179e-10};
#endif
    enum { HALF = (VDI_MANT + 2) / 2 }; /* of the mantissa's bits */
    const VDI_V z = VDI_VMUL(a, a);
    const VDI_V high = VDI_IBITS(VDI_ISHL(VDI_ISHR(VDI_VBITS(a), HALF), HALF));
    const VDI_V low = VDI_VSUB(a, high);
    const VDI_V lost =
        VDI_VFMA(low, low, VDI_VFMA(high, VDI_VADD(low, low), VDI_VFMA(high, high, VDI_VNEG(z))));
    const VDI_V t = VDI_VDIV(VDI_VSUB(a, VDI__K(3)), VDI_VADD(a, VDI__K(3)));
    const VDI_V r = VDI_VDIV(VDI__POLY(t, c), VDI_VADD(a, VDI__K(3)));
    *e = VDI_PN(vdi__exp_of_minus)(VDI_VMUL(z, VDI__K(0.5)));
    return VDI_VFNMA(r, VDI_VMUL(lost, VDI__K(0.5)), r);
}
/* |x|, held where Phi(-a) is 0 */
#define VDI__TAIL_OF(x) VDI_VMIN(VDI__K(VDI__REAL == 32 ? 16 : 40), VDI_VABS(x))

/* x Phi(-a) below 0, x - a Phi(-a) above: a r comes first, so that denormals are rounded once. */
VDI_SHARED VDI_V VDI_PN(vdi__gelu)(VDI_V x) {
    VDI_V e;
    const VDI_V a = VDI__TAIL_OF(x), r = VDI_PN(vdi__normal_tail)(a, &e);
    const VDI_V y = VDI_VFNMA(VDI_VMUL(a, r), e, VDI_VMAX(VDI_VZERO(), x));
    return VDI_VOR(y, VDI__SIGN_OF(x));
}

/* ---- the kernels of the rows ----------------------------------------------------------------- */

typedef VDI_V VDI_PN(vdi__value_fn)(VDI_V v, VDI_V q);
VDI_SHARED void VDI_PN(vdi__called_values)(VDI_PN(vdi__value_fn) *f, size_t n, double p,
                                           const void *x_, void *y_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    const VDI_V q = VDI_VSET1((VDI_T)p);
    VDI__EACH(, f(VDI__LOAD(x), q))
}

#define VDI__SIMPLE_VALUE(op, name, value, slope)                                           \
    VDI_KERNEL void VDI_PN(vdi__unary_##name)(size_t n, double p, const void *x, void *y) { \
        VDI_PN(vdi__simple_values)(op, n, p, x, y);                                         \
    }
#define VDI__CALLED_VALUE(op, name, value, slope)                                           \
    VDI_KERNEL VDI_V VDI_PN(vdi__value_##name)(VDI_V v, VDI_V q) {                          \
        (void)q;                                                                            \
        return value;                                                                       \
    }                                                                                       \
    VDI_KERNEL void VDI_PN(vdi__unary_##name)(size_t n, double p, const void *x, void *y) { \
        VDI_PN(vdi__called_values)(VDI_PN(vdi__value_##name), n, p, x, y);                  \
    }
#if VDI_FALLBACK
#define VDI__SHORT_VALUE VDI__SIMPLE_VALUE
#define VDI__OFTEN_VALUE VDI__CALLED_VALUE
#else
#define VDI__SHORT_VALUE(op, name, value, slope)                                              \
    VDI_KERNEL void VDI_PN(vdi__unary_##name)(size_t n, double p, const void *x_, void *y_) { \
        const VDI_T *x = (const VDI_T *)x_;                                                   \
        VDI_T *y = (VDI_T *)y_;                                                               \
        (void)p;                                                                              \
        VDI__EACH(const VDI_V v = VDI__LOAD(x);, value)                                       \
    }
/* the function once, not twice as in VDI__EACH */
#define VDI__OFTEN_VALUE(op, name, value, slope)                                              \
    VDI_KERNEL void VDI_PN(vdi__unary_##name)(size_t n, double p, const void *x_, void *y_) { \
        const VDI_T *x = (const VDI_T *)x_;                                                   \
        VDI_T *y = (VDI_T *)y_;                                                               \
        (void)p;                                                                              \
        for (size_t i = 0; i < n; i += VDI_W) {                                               \
            const bool whole = n - i >= VDI_W;                                                \
            const VDI_V v = VDI__LOAD(x);                                                     \
            const VDI_V r = value;                                                            \
            if (whole) {                                                                      \
                VDI_VSTORE(y + i, r);                                                         \
            } else {                                                                          \
                VDI_VSTORET(y + i, VDI_VTAIL(n - i), r);                                      \
                break;                                                                        \
            }                                                                                 \
        }                                                                                     \
    }
#endif
VDI__ROWS(VDI__SIMPLE_VALUE, VDI__SHORT_VALUE, VDI__OFTEN_VALUE, VDI__CALLED_VALUE,
          VDI__OFTEN_VALUE, VDI__CALLED_VALUE)
#undef VDI__SIMPLE_VALUE
#undef VDI__SHORT_VALUE
#undef VDI__OFTEN_VALUE
#undef VDI__CALLED_VALUE

/* Derivatives that are no op themselves. */
VDI_KERNEL VDI_V VDI_PN(vdi__value_trigamma)(VDI_V v, VDI_V q) {
    (void)q;
    return VDI_PN(vdi__trigamma)(v);
}
VDI_KERNEL void VDI_PN(vdi__unary_trigamma)(size_t n, double p, const void *x, void *y) {
    VDI_PN(vdi__called_values)(VDI_PN(vdi__value_trigamma), n, p, x, y);
}
VDI_KERNEL VDI_V VDI_PN(vdi__value_gauss)(VDI_V v, VDI_V q) {
    const VDI_V a = VDI_VMIN(VDI__K(40), VDI_VABS(v)); /* from 28 on it is 0 */
    (void)q;
    return VDI_VMUL(VDI__K(1.1283791670955126), VDI_PN(vdi__exp)(VDI_VNEG(VDI_VMUL(a, a))));
}
VDI_KERNEL void VDI_PN(vdi__unary_gauss)(size_t n, double p, const void *x, void *y) {
    VDI_PN(vdi__called_values)(VDI_PN(vdi__value_gauss), n, p, x, y);
}
/* Phi(x) + x phi(x): q = e (r - a phi(0)) below 0, 1 - q above */
VDI_KERNEL VDI_V VDI_PN(vdi__value_gelu_slope)(VDI_V v, VDI_V q) {
    VDI_V e;
    const VDI_V a = VDI__TAIL_OF(v), r = VDI_PN(vdi__normal_tail)(a, &e);
    const VDI_V below = VDI_VMUL(e, VDI_VFNMA(a, VDI__K(0.39894228040143268), r));
    (void)q;
    return VDI_VSEL(VDI__POSITIVE, VDI_VSUB(VDI__ONE, below), below);
}
VDI_KERNEL void VDI_PN(vdi__unary_gelu_slope)(size_t n, double p, const void *x, void *y) {
    VDI_PN(vdi__called_values)(VDI_PN(vdi__value_gelu_slope), n, p, x, y);
}
VDI_KERNEL void VDI_PN(vdi__unary_minus_sin)(size_t n, double p, const void *x, void *y) {
    VDI_PN(vdi__unary_sin)(n, p, x, y);
    VDI_LENT(vdi__unary_neg)(n, p, y, y);
}

/* dx += dy * slope(x), a piece at a time */
VDI_SHARED void VDI_PN(vdi__slopes_through)(vdi__unary_fn *slope, size_t n, const void *x,
                                            const void *dy, void *dx) {
    VDI_T piece[256];
    for (size_t i = 0; i < n; i += VDI__COUNT(piece)) {
        const size_t some = VDI__MIN(n - i, VDI__COUNT(piece));
        slope(some, 0, (const VDI_T *)x + i, piece);
        VDI_PN(vdi__kernel_muladd)(some, (const VDI_T *)dy + i, 1, piece, 1, (VDI_T *)dx + i);
    }
}
#define VDI__SIMPLE_SLOPE(op, name, value, slope)                                             \
    VDI_KERNEL void VDI_PN(vdi__unary_grad_##name)(size_t n, double p, const void *x,         \
                                                   const void *y, const void *dy, void *dx) { \
        VDI_PN(vdi__simple_slopes)(op, n, p, x, y, dy, dx);                                   \
    }
#define VDI__SLOPE_THROUGH(op, name, value, slope)                                            \
    VDI_KERNEL void VDI_PN(vdi__unary_grad_##name)(size_t n, double p, const void *x,         \
                                                   const void *y, const void *dy, void *dx) { \
        (void)p;                                                                              \
        (void)y;                                                                              \
        VDI_PN(vdi__slopes_through)(slope, n, x, dy, dx);                                     \
    }
VDI__ROWS(VDI__SIMPLE_SLOPE, VDI__SIMPLE_SLOPE, VDI__SIMPLE_SLOPE, VDI__SIMPLE_SLOPE,
          VDI__SLOPE_THROUGH, VDI__SLOPE_THROUGH)
#undef VDI__SIMPLE_SLOPE
#undef VDI__SLOPE_THROUGH
#undef VDI__ROWS
#undef VDI__POSITIVE
#undef VDI__LOAD
#undef VDI__EACH
