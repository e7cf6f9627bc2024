/* kernel/elementwise_body.h - functions of one and two arguments; one pass */
#if VDI__REAL == 32
#define VDI__LIBM(name) name##f
#else
#define VDI__LIBM(name) name
#endif
#define VDI__LANES(name, expr) \
    VDI_LOCAL VDI_V VDI_PN(vdi__##name)(VDI_V v) { \
        VDI_T b[VDI_W]; \
        VDI_VSTORET(b, VDI_VTAIL(VDI_W), v); \
        for (int i = 0; i < VDI_W; i++) { \
            const VDI_T x = b[i]; \
            b[i] = (VDI_T)(expr); \
        } \
        return VDI_VLOAD(b); \
    }
VDI_KERNEL VDI_T VDI_PN(vdi__digamma_one)(VDI_T x_) {
    double x = (double)x_, r = 0;
    if (x == 0) return (VDI_T)(-1 / x);
    if (x <= 0) {
        if (floor(x) == x) return (VDI_T)NAN;
        r = -VDI_PI / tan(VDI_PI * (x - floor(x)));
        x = 1 - x;
    }
    for (; x < 12; x += 1) r -= 1 / x;
    const double z = 1 / (x * x);
    return (VDI_T)(r + log(x) - 0.5 / x -
                   z * (1. / 12 - z * (1. / 120 - z * (1. / 252 - z * (1. / 240 - z * (1. / 132 - z * (691. / 32760 - z / 12)))))));
}
VDI_KERNEL VDI_T VDI_PN(vdi__trigamma_one)(VDI_T x_) {
    double x = (double)x_, r = 0, sign = 1;
    if (x < 0.5) {
        const double s = sin(VDI_PI * (x - floor(x)));
        r = VDI_PI * VDI_PI / (s * s);
        x = 1 - x;
        sign = -1;
    }
    for (; x < 12; x += 1) r += sign / (x * x);
    const double z = 1 / (x * x);
    return (VDI_T)(r + sign * (1 / x + z / 2 +
                               z / x * (1. / 6 - z * (1. / 30 - z * (1. / 42 - z * (1. / 30 - z * (5. / 66 - z * (691. / 2730 - z * 7 / 6))))))));
}
VDI__LANES(exp, VDI__LIBM(exp)(x))
VDI__LANES(log, VDI__LIBM(log)(x))
VDI__LANES(log1p, VDI__LIBM(log1p)(x))
VDI__LANES(expm1, VDI__LIBM(expm1)(x))
VDI__LANES(tanh, VDI__LIBM(tanh)(x))
VDI__LANES(sigmoid, 1 / (1 + VDI__LIBM(exp)(-x)))
VDI__LANES(softplus, (x > 0 ? x : 0 * x) + VDI__LIBM(log1p)(VDI__LIBM(exp)(-VDI__LIBM(fabs)(x))))
VDI__LANES(erf, VDI__LIBM(erf)(x))
VDI__LANES(lgamma, VDI__LIBM(lgamma)(x))
VDI__LANES(sin, VDI__LIBM(sin)(x))
VDI__LANES(cos, VDI__LIBM(cos)(x))
VDI__LANES(digamma, VDI_PN(vdi__digamma_one)(x))
VDI__LANES(trigamma, VDI_PN(vdi__trigamma_one)(x))
#undef VDI__LANES

#define VDI__K(x) VDI_VSET1(VDI_C(x))
#define VDI__LOAD(p) (whole ? VDI_VLOAD((p) + i) : VDI_VLOADT((p) + i, VDI_VTAIL(n - i)))
#define VDI__EACH(result) \
    for (size_t i = 0; i < n; i += VDI_W) { \
        const bool whole = n - i >= VDI_W; \
        const VDI_V r = result; \
        if (whole) VDI_VSTORE(y + i, r); \
        else { \
            VDI_VSTORET(y + i, VDI_VTAIL(n - i), r); \
            break; \
        } \
    }
/* An op: f(v), and its derivative as a function of v = x and w = f(x); q is the parameter. */
#define VDI__UNARY(name, value, slope) \
    VDI_LOCAL VDI_V VDI_PN(vdi__value_##name)(VDI_V v, VDI_V q) { \
        (void)q; \
        return value; \
    } \
    VDI_LOCAL VDI_V VDI_PN(vdi__slope_##name)(VDI_V v, VDI_V w, VDI_V q) { \
        (void)v, (void)w, (void)q; \
        return slope; \
    } \
    VDI_KERNEL void VDI_PN(vdi__unary_##name)(size_t n, double p, const void *x_, void *y_) { \
        const VDI_T *x = (const VDI_T *)x_; \
        VDI_T *y = (VDI_T *)y_; \
        const VDI_V q = VDI_VSET1((VDI_T)p); \
        VDI__EACH(VDI_PN(vdi__value_##name)(VDI__LOAD(x), q)) \
    } \
    VDI_KERNEL void VDI_PN(vdi__unary_grad_##name)(size_t n, double p, const void *x_, const void *y_, const void *dy_, void *dx_) { \
        const VDI_T *x = (const VDI_T *)x_, *w = (const VDI_T *)y_, *dy = (const VDI_T *)dy_; \
        VDI_T *y = (VDI_T *)dx_; \
        const VDI_V q = VDI_VSET1((VDI_T)p); \
        VDI__EACH(VDI_VFMA(VDI__LOAD(dy), VDI_PN(vdi__slope_##name)(VDI__LOAD(x), VDI__LOAD(w), q), VDI__LOAD(y))) \
    }
#define VDI__ONE VDI__K(1)
#define VDI__POSITIVE VDI_VGT(v, VDI_VZERO())
VDI__UNARY(exp, VDI_PN(vdi__exp)(v), w)
VDI__UNARY(log, VDI_PN(vdi__log)(v), VDI_VDIV(VDI__ONE, v))
VDI__UNARY(log1p, VDI_PN(vdi__log1p)(v), VDI_VDIV(VDI__ONE, VDI_VADD(VDI__ONE, v)))
VDI__UNARY(expm1, VDI_PN(vdi__expm1)(v), VDI_VADD(w, VDI__ONE))
VDI__UNARY(tanh, VDI_PN(vdi__tanh)(v), VDI_VFNMA(w, w, VDI__ONE))
VDI__UNARY(sigmoid, VDI_PN(vdi__sigmoid)(v), VDI_VMUL(w, VDI_VSUB(VDI__ONE, w)))
VDI__UNARY(softplus, VDI_PN(vdi__softplus)(v), VDI_PN(vdi__sigmoid)(v))
VDI__UNARY(relu, VDI_VSEL(VDI_VLE(v, VDI_VZERO()), VDI_VZERO(), v), VDI_VSEL(VDI__POSITIVE, VDI__ONE, VDI_VZERO()))
VDI__UNARY(leaky_relu, VDI_VSEL(VDI__POSITIVE, v, VDI_VMUL(q, v)), VDI_VSEL(VDI__POSITIVE, VDI__ONE, q))
VDI__UNARY(elu, VDI_VSEL(VDI__POSITIVE, v, VDI_VMUL(q, VDI_PN(vdi__expm1)(v))), VDI_VSEL(VDI__POSITIVE, VDI__ONE, VDI_VADD(w, q)))
VDI__UNARY(sqrt, VDI_VSQRT(v), VDI_VDIV(VDI__K(0.5), w))
VDI__UNARY(rsqrt, VDI_VDIV(VDI__ONE, VDI_VSQRT(v)), VDI_VMUL(VDI_VMUL(VDI__K(-0.5), w), VDI_VMUL(w, w)))
VDI__UNARY(reciprocal, VDI_VDIV(VDI__ONE, v), VDI_VNEG(VDI_VMUL(w, w)))
VDI__UNARY(erf, VDI_PN(vdi__erf)(v), VDI_VMUL(VDI__K(1.1283791670955126), VDI_PN(vdi__exp)(VDI_VNEG(VDI_VMUL(v, v)))))
VDI__UNARY(lgamma, VDI_PN(vdi__lgamma)(v), VDI_PN(vdi__digamma)(v))
VDI__UNARY(digamma, VDI_PN(vdi__digamma)(v), VDI_PN(vdi__trigamma)(v))
VDI__UNARY(abs, VDI_VABS(v), VDI_VSEL(VDI__POSITIVE, VDI__ONE, VDI__K(-1)))
VDI__UNARY(neg, VDI_VNEG(v), VDI__K(-1))
VDI__UNARY(square, VDI_VMUL(v, v), VDI_VADD(v, v))
VDI__UNARY(sin, VDI_PN(vdi__sin)(v), VDI_PN(vdi__cos)(v))
VDI__UNARY(cos, VDI_PN(vdi__cos)(v), VDI_VNEG(VDI_PN(vdi__sin)(v)))
VDI__UNARY(identity, v, VDI__ONE)
#undef VDI__UNARY
#undef VDI__POSITIVE

/* a power per lane */
VDI_LOCAL VDI_V VDI_PN(vdi__pow)(VDI_V a, VDI_V b) {
    VDI_T s[VDI_W], t[VDI_W];
    VDI_VSTORET(s, VDI_VTAIL(VDI_W), a);
    VDI_VSTORET(t, VDI_VTAIL(VDI_W), b);
    for (int i = 0; i < VDI_W; i++) s[i] = VDI__LIBM(pow)(s[i], t[i]);
    return VDI_VLOAD(s);
}
/* x + y is NaN where either is, and only there once the comparison has failed for that reason */
VDI_LOCAL VDI_V VDI_PN(vdi__max)(VDI_V a, VDI_V b) { return VDI_VSEL(VDI_VNE(a, a), a, VDI_VMAX(a, b)); }
VDI_LOCAL VDI_V VDI_PN(vdi__min)(VDI_V a, VDI_V b) { return VDI_VSEL(VDI_VNE(a, a), a, VDI_VMIN(a, b)); }

#define VDI__STEPPED(p, one) (p##_step ? VDI__LOAD(p) : one)
#define VDI__BINARY(kind, name, result) \
    VDI_KERNEL void VDI_PN(vdi__##kind##_##name)(size_t n, const void *a_, int a_step, const void *b_, int b_step, void *y_) { \
        const VDI_T *a = (const VDI_T *)a_, *b = (const VDI_T *)b_; \
        VDI_T *y = (VDI_T *)y_; \
        if (n == 0) return; \
        const VDI_V one_a = VDI_VSET1(a[0]), one_b = VDI_VSET1(b[0]); \
        for (size_t i = 0; i < n; i += VDI_W) { \
            const bool whole = n - i >= VDI_W; \
            const VDI_V u = VDI__STEPPED(a, one_a), v = VDI__STEPPED(b, one_b); \
            const VDI_V r = result; \
            if (whole) VDI_VSTORE(y + i, r); \
            else { \
                VDI_VSTORET(y + i, VDI_VTAIL(n - i), r); \
                break; \
            } \
        } \
    }
VDI__BINARY(binary, add, VDI_VADD(u, v))
VDI__BINARY(binary, sub, VDI_VSUB(u, v))
VDI__BINARY(binary, mul, VDI_VMUL(u, v))
VDI__BINARY(binary, div, VDI_VDIV(u, v))
VDI__BINARY(binary, max, VDI_PN(vdi__max)(u, v))
VDI__BINARY(binary, min, VDI_PN(vdi__min)(u, v))
VDI__BINARY(binary, pow, VDI_PN(vdi__pow)(u, v))
VDI__BINARY(kernel, muladd, VDI_VFMA(u, v, VDI__LOAD(y)))
#undef VDI__BINARY
#undef VDI__STEPPED

VDI_KERNEL void VDI_PN(vdi__kernel_fill)(size_t n, double value, void *y_) {
    VDI_T *y = (VDI_T *)y_;
    const VDI_V v = VDI_VSET1((VDI_T)value);
    VDI__EACH(v)
}

VDI_KERNEL void VDI_PN(vdi__kernel_axpby)(size_t n, double alpha, const void *x_, double beta, void *y_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    const VDI_V a = VDI_VSET1((VDI_T)alpha), b = VDI_VSET1((VDI_T)beta);
    if (beta == 0) VDI__EACH(VDI_VMUL(a, VDI__LOAD(x)))
    else if (beta == 1) VDI__EACH(VDI_VFMA(a, VDI__LOAD(x), VDI__LOAD(y)))
    else VDI__EACH(VDI_VFMA(a, VDI__LOAD(x), VDI_VMUL(b, VDI__LOAD(y))))
}

/* NaN fails both comparisons and comes out as it is */
VDI_KERNEL void VDI_PN(vdi__kernel_clip)(size_t n, double low, double high, const void *x_, void *y_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    const VDI_V l = VDI_VSET1((VDI_T)low), h = VDI_VSET1((VDI_T)high);
    VDI__EACH(VDI_VMIN(h, VDI_VMAX(l, VDI__LOAD(x))))
}
#undef VDI__LOAD
#undef VDI__EACH
#undef VDI__K
#undef VDI__ONE
#undef VDI__LIBM
