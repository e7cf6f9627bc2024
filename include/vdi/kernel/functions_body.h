/* kernel/functions_body.h - exp, log and their kin on one vector; one pass
 *
 * Every function is a short chain of steps without branches: reduce the argument, a polynomial, put
 * the result together. The polynomials are minimax fits made for vdi (Remez exchange in 50 digits,
 * docs/guide/kernels.md); each states its interval and the relative error that it leaves in the
 * function. What a lane seldom needs (denormals, negative gammas, huge angles) stands behind one
 * "any lane?" branch per vector. All steps are exact or are single words of simd.h, and a product
 * that meets a sum is a fused multiply-add, so the paths that have one agree in every bit, except
 * where libm is asked (pow, huge sines).
 *
 * The loops over arrays are in elementwise_body.h, which takes the macros away again.
 */
#if VDI__REAL == 32
#define VDI__LIBM(name) name##f
#define VDI__LN2_HI VDI_VSET1(0.693145752f) /* 15 bits: n * LN2_HI is exact */
#define VDI__LN2_LO VDI_VSET1(1.42860682e-06f)
#define VDI__EXP_TOP 90.0f /* exp of this is infinite, of the next is 0 */
#define VDI__EXP_BOTTOM -104.5f
#define VDI__SMALLEST FLT_MIN
#define VDI__LARGEST FLT_MAX
#else
#define VDI__LIBM(name) name
#define VDI__LN2_HI VDI_VSET1(0.6931471803691238) /* 32 bits */
#define VDI__LN2_LO VDI_VSET1(1.9082149292705877e-10)
#define VDI__EXP_TOP 711.0
#define VDI__EXP_BOTTOM -746.0
#define VDI__SMALLEST DBL_MIN
#define VDI__LARGEST DBL_MAX
#endif
#define VDI__K(x) VDI_VSET1(VDI_C(x))
#define VDI__ONE VDI__K(1)
#define VDI__POLY(z, c) VDI_PN(vdi__poly)(z, c, (int)VDI__COUNT(c))
#define VDI__SIGN_OF(x) VDI_VAND(x, VDI__K(-0.0))

/* c[0] + c[1] z + ... + c[n-1] z^(n-1), n >= 2, even and odd powers in two chains; n is constant
 * after inlining. */
VDI_STEP VDI_V VDI_PN(vdi__poly)(VDI_V z, const VDI_T *c, int n) {
    const VDI_V z2 = VDI_VMUL(z, z);
    VDI_V a = VDI_VSET1(c[n - 1]), b = VDI_VSET1(c[n - 2]);
    VDI__UNROLL
    for (int k = n - 3; k >= 1; k -= 2) {
        a = VDI_VFMA(a, z2, VDI_VSET1(c[k]));
        b = VDI_VFMA(b, z2, VDI_VSET1(c[k - 1]));
    }
    if (n % 2 == 0) return VDI_VFMA(a, z, b);
    a = VDI_VFMA(a, z2, VDI_VSET1(c[0]));
    return VDI_VFMA(b, z, a);
}

VDI_LOCAL VDI_V VDI_PN(vdi__round)(VDI_V x) {
    return VDI_VSUB(VDI_VADD(x, VDI__K(VDI_MAGIC)), VDI__K(VDI_MAGIC));
}

/* v * 2^n for an integer n that keeps 2^n normal */
VDI_LOCAL VDI_V VDI_PN(vdi__scale)(VDI_V v, VDI_V n) {
#ifdef VDI_VSCALEF
    return VDI_VSCALEF(v, n);
#else
    return VDI_VMUL(
        v, VDI_IBITS(VDI_ISHL(VDI_VBITS(VDI_VADD(n, VDI__K(VDI_MAGIC + VDI_EMAX))), VDI_MANT)));
#endif
}

/* v * 2^n for |n| < 2 EMAX, |v| about 1: in two exact halves but for the last rounding, so
 * denormals come out rounded once */
VDI_LOCAL VDI_V VDI_PN(vdi__scale_far)(VDI_V v, VDI_V n) {
#ifdef VDI_VSCALEF
    return VDI_VSCALEF(v, n);
#else
    const VDI_V half = VDI_PN(vdi__round)(VDI_VMUL(n, VDI__K(0.5)));
    return VDI_PN(vdi__scale)(VDI_PN(vdi__scale)(v, half), VDI_VSUB(n, half));
#endif
}

/* exp(x) = 2^n (1 + r + r^2 p), |r| <= ln2/2, for BOTTOM <= x <= TOP; returns p, a polynomial to
   2^-28, 2^-58 of the exponential. NaN passes. */
VDI_STEP VDI_V VDI_PN(vdi__exp_rest)(VDI_V x, VDI_V *n, VDI_V *r) {
#if VDI__REAL == 32
    static const VDI_T c[] = {0.49999994f, 0.166665196f, 0.0416683927f, 0.00836878084f,
                              0.00138145068f};
#else
    static const VDI_T c[] = {0.5000000000000011,     0.1666666666666641,    0.04166666666652911,
                              0.00833333333349469,    0.0013888888943945047, 0.00019841269506973413,
                              2.4801492738264296e-05, 2.755758521550879e-06, 2.7630387776666216e-07,
                              2.500067964276749e-08};
#endif
    *n =
        VDI_VSUB(VDI_VFMA(x, VDI__K(1.44269504088896340736), VDI__K(VDI_MAGIC)), VDI__K(VDI_MAGIC));
    *r = VDI_VFNMA(*n, VDI__LN2_LO, VDI_VFNMA(*n, VDI__LN2_HI, x));
    return VDI__POLY(*r, c);
}

/* exp(x) = 2^n (1 + t), |t| < 0.42; returns t */
VDI_STEP VDI_V VDI_PN(vdi__exp_parts)(VDI_V x, VDI_V *n) {
    VDI_V r;
    const VDI_V p = VDI_PN(vdi__exp_rest)(x, n, &r);
    return VDI_VFMA(VDI_VMUL(r, r), p, r);
}

VDI_STEP VDI_V VDI_PN(vdi__exp)(VDI_V x) {
    VDI_V n;
    const VDI_V t = VDI_PN(vdi__exp_parts)(
        VDI_VMAX(VDI__K(VDI__EXP_BOTTOM), VDI_VMIN(VDI__K(VDI__EXP_TOP), x)), &n);
    return VDI_PN(vdi__scale_far)(VDI_VADD(VDI__ONE, t), n);
}

/* exp(-|x|), which neither overflows nor needs the upper clamp */
VDI_STEP VDI_V VDI_PN(vdi__exp_of_minus)(VDI_V x) {
    VDI_V n;
    const VDI_V minus = VDI_VOR(x, VDI__K(-0.0));
    const VDI_V t = VDI_PN(vdi__exp_parts)(VDI_VMAX(VDI__K(VDI__EXP_BOTTOM), minus), &n);
    return VDI_PN(vdi__scale_far)(VDI_VADD(VDI__ONE, t), n);
}

/* 2^n (r + rest) + (2^n - 1) as 2^n ((1 - 2^-n) + r + rest), in which 2^n can't overflow on its own
   and what the first sum loses is kept */
VDI_LOCAL VDI_V VDI_PN(vdi__expm1)(VDI_V x) {
    VDI_V n, r;
    const VDI_V held = VDI_VMAX(VDI__K(-40), VDI_VMIN(VDI__K(VDI__EXP_TOP), x));
    const VDI_V rest = VDI_PN(vdi__exp_rest)(held, &n, &r);
    const VDI_V one =
        VDI_VSUB(VDI__ONE, VDI_PN(vdi__scale)(VDI__ONE, VDI_VNEG(VDI_VMIN(n, VDI__K(100)))));
    const VDI_V sum = VDI_VADD(one, r), lost = VDI_VSUB(r, VDI_VSUB(sum, one));
    const VDI_V t = VDI_VADD(sum, VDI_VFMA(VDI_VMUL(r, r), rest, lost));
    return VDI_VOR(VDI_PN(vdi__scale_far)(t, n), VDI__SIGN_OF(x));
}

/* Split x > 0 into m 2^e, 0.75 <= m < 1.5; returns m. Zero, negative, infinite and NaN arguments
 * are put right by log_ends. */
VDI_STEP VDI_V VDI_PN(vdi__log_split)(VDI_V x, VDI_V *e) {
#ifdef VDI_VGETMANT
    const VDI_V m = VDI_VGETMANT(x);
    *e = VDI_VADD(VDI_VGETEXP(x), VDI_VSEL(VDI_VLT(m, VDI__ONE), VDI__ONE, VDI_VZERO()));
    return m;
#else
    const VDI_M tiny = VDI_VLT(x, VDI__K(VDI__SMALLEST));
    VDI_V bias = VDI__K(VDI_MAGIC + VDI_EMAX);
    if (VDI_MANY(tiny)) {
        x = VDI_VSEL(tiny, VDI_VMUL(x, VDI__K((VDI_IT)1 << (VDI_MANT + 2))), x);
        bias = VDI_VSEL(tiny, VDI__K(VDI_MAGIC + VDI_EMAX + VDI_MANT + 2), bias);
    }
    /* 0.75 and 1 are half a mantissa apart, in bits as in value */
    const VDI_I i = VDI_IADD(VDI_VBITS(x), VDI_ISET1((VDI_IT)1 << (VDI_MANT - 1)));
    *e = VDI_VSUB(VDI_IBITS(VDI_IOR(VDI_ISHR(i, VDI_MANT), VDI_VBITS(VDI__K(VDI_MAGIC)))), bias);
    return VDI_IBITS(
        VDI_IADD(VDI_IAND(i, VDI_ISET1(((VDI_IT)1 << VDI_MANT) - 1)), VDI_VBITS(VDI__K(0.75))));
#endif
}

/* r, or what the logarithm of x is where x is not positive and finite */
VDI_STEP VDI_V VDI_PN(vdi__log_ends)(VDI_V x, VDI_V r) {
#ifndef VDI_VGETMANT
    const VDI_M plain = VDI_MAND(VDI_VGT(x, VDI_VZERO()), VDI_VLE(x, VDI__K(VDI__LARGEST)));
    if (VDI_MANY(VDI_MNOT(plain))) {
        const VDI_V end = VDI_VSEL(VDI_VEQ(x, VDI_VZERO()), VDI__K(-INFINITY),
                                   VDI_VSEL(VDI_VGT(x, VDI_VZERO()), x, VDI__K(NAN)));
        r = VDI_VSEL(plain, r, end);
    }
#else
    (void)x;
#endif
    return r;
}

/* log(1 + f) - f + e LN2_LO for -0.25 <= f <= 0.5. F32: f^3 p(f), 2^-27.5 of the logarithm. F64:
   with s = f/(2 + f) and z = s^2, log(1 + f) = f - s (f - z p(z)), 2^-62.7; written around f^2/2 so
   that what is rounded stays small. */
VDI_STEP VDI_V VDI_PN(vdi__log_rest)(VDI_V f, VDI_V e) {
    const VDI_V half = VDI_VMUL(f, VDI__K(0.5));
#if VDI__REAL == 32
    static const VDI_T c[] = {0.333334625f, -0.250001937f, 0.19990322f,  -0.166423917f,
                              0.144761547f, -0.132133886f, 0.105978437f, -0.0460736901f};
    const VDI_V y =
        VDI_VFMA(VDI_VMUL(VDI_VMUL(f, f), f), VDI__POLY(f, c), VDI_VMUL(e, VDI__LN2_LO));
#else
    static const VDI_T c[] = {0.666666666666666,   0.40000000000055935, 0.2857142855600864,
                              0.2222222427605993,  0.18181667096112433, 0.15391072201807723,
                              0.13174265385773704, 0.1383854442047548};
    const VDI_V s = VDI_VDIV(f, VDI_VADD(VDI__K(2), f)), z = VDI_VMUL(s, s);
    const VDI_V y =
        VDI_VFMA(s, VDI_VFMA(half, f, VDI_VMUL(z, VDI__POLY(z, c))), VDI_VMUL(e, VDI__LN2_LO));
#endif
    return VDI_VFNMA(half, f, y);
}

VDI_STEP VDI_V VDI_PN(vdi__log)(VDI_V x) {
    VDI_V e;
#ifdef VDI_VGETMANT
    x = VDI_VADD(x, VDI_VZERO()); /* -0 would give the mantissa -1 */
#endif
    const VDI_V f = VDI_VSUB(VDI_PN(vdi__log_split)(x, &e), VDI__ONE);
    return VDI_PN(vdi__log_ends)(
        x, VDI_VFMA(e, VDI__LN2_HI, VDI_VADD(f, VDI_PN(vdi__log_rest)(f, e))));
}

/* the same where speed is not asked, to keep the code small */
VDI_SHARED VDI_V VDI_PN(vdi__log_call)(VDI_V x) { return VDI_PN(vdi__log)(x); }

/* log(u) of u = 1 + x, and lost / u of what the sum lost, with u taken as 1 up to 2 and beyond as
   infinite: it counts only where u is near 1 */
VDI_LOCAL VDI_V VDI_PN(vdi__log1p)(VDI_V x) {
    VDI_V e;
    const VDI_V u = VDI_VADD(VDI__ONE, x);
    const VDI_V lost = VDI_VSUB(x, VDI_VSUB(u, VDI__ONE)); /* exact up to x = 1 */
    const VDI_V f = VDI_VSUB(VDI_PN(vdi__log_split)(u, &e), VDI__ONE);
    const VDI_V rest =
        VDI_VADD(VDI_PN(vdi__log_rest)(f, e), VDI_VSEL(VDI_VLT(u, VDI__K(2)), lost, VDI_VZERO()));
    const VDI_V r = VDI_VFMA(e, VDI__LN2_HI, VDI_VADD(f, rest));
    return VDI_VOR(VDI_PN(vdi__log_ends)(u, r), VDI__SIGN_OF(x));
}

/* |x| < 0.625: x + x z p(z), z = x^2 (2^-27.8, 2^-59); else 1 - 2/(exp(2|x|) + 1). F64 shares the
 * division between the two. F32 needs few digits of the exponential: 2^n 2^-g, by one polynomial
 * (2^-29). */
VDI_LOCAL VDI_V VDI_PN(vdi__tanh)(VDI_V x) {
    const VDI_V size = VDI_VABS(x); /* held where it is taken: of a large x powers would overflow */
    const VDI_V a = VDI_VMIN(VDI__K(VDI__REAL == 32 ? 10 : 20), size), z = VDI_VMUL(a, a);
    const VDI_M small = VDI_VLT(a, VDI__K(0.625));
#if VDI__REAL == 32
    static const VDI_T c[] = {-0.333332807f, 0.133314416f, -0.0537397116f, 0.0206390768f,
                              -0.00570497476f};
    static const VDI_T d[] = {1,
                              -0.693147182f,
                              0.240226462f,
                              -0.0555032864f,
                              0.00961848907f,
                              -0.00133999309f,
                              0.000153457862f};
    const VDI_V n =
        VDI_VSUB(VDI_VFMA(a, VDI__K(2.88539008f), VDI__K(VDI_MAGIC)), VDI__K(VDI_MAGIC));
    const VDI_V g = VDI_VFNMA(a, VDI__K(2.88539008f), n);
    const VDI_V e1 = VDI_VADD(VDI_PN(vdi__scale)(VDI__POLY(g, d), n), VDI__ONE);
    const VDI_V r = VDI_VSEL(small, VDI_VFMA(VDI_VMUL(a, z), VDI__POLY(z, c), a),
                             VDI_VSUB(VDI__ONE, VDI_VDIV(VDI__K(2), e1)));
#else
    static const VDI_T p[] = {-1613.993357006602, -99.25410017871536, -0.9643860146794839};
    static const VDI_T q[] = {4841.980071019807, 2234.554328944051, 112.77525907612463, 1};
    VDI_V n;
    const VDI_V t = VDI_PN(vdi__exp_parts)(VDI_VADD(a, a), &n);
    const VDI_V e1 = VDI_VADD(VDI_PN(vdi__scale)(VDI_VADD(VDI__ONE, t), n), VDI__ONE);
    const VDI_V over = VDI_VSEL(small, VDI_VMUL(VDI_VMUL(a, z), VDI__POLY(z, p)), VDI__K(-2));
    const VDI_V r = VDI_VADD(VDI_VSEL(small, a, VDI__ONE),
                             VDI_VDIV(over, VDI_VSEL(small, VDI__POLY(z, q), e1)));
#endif
    return VDI_VOR(r, VDI__SIGN_OF(x));
}

/* e = exp(-|x|) <= 1: 1/(1 + e) or e/(1 + e), so that small results keep their digits down to the
   denormals. What 1 + e lost is made good to first order, with 1/(1 + e) taken as 1: it counts
   where e is small, and without it the error passes 2 ulp. */
VDI_STEP VDI_V VDI_PN(vdi__sigmoid)(VDI_V x) {
    const VDI_V e = VDI_PN(vdi__exp_of_minus)(x), d = VDI_VADD(VDI__ONE, e);
    const VDI_V lost = VDI_VSUB(e, VDI_VSUB(d, VDI__ONE));
    const VDI_V y = VDI_VDIV(VDI_VSEL(VDI_VLT(x, VDI_VZERO()), e, VDI__ONE), d);
    return VDI_VFNMA(y, lost, y);
}

/* max(x, 0) + log(1 + e), e = exp(-|x|), by the series of log_rest on 0 <= e <= 1 (2^-27.7,
 * 2^-59) */
VDI_LOCAL VDI_V VDI_PN(vdi__softplus)(VDI_V x) {
#if VDI__REAL == 32
    static const VDI_T c[] = {0.666664124f, 0.400216997f, 0.279991537f, 0.280243546f};
#else
    static const VDI_T c[] = {0.6666666666666631,  0.4000000000015717,  0.28571428547861677,
                              0.22222223969280802, 0.1818174394039092,  0.15386559591894355,
                              0.13300978036834618, 0.12106049853875407, 0.08340266754837075,
                              0.17018256526998762};
#endif
    const VDI_V e = VDI_PN(vdi__exp_of_minus)(x), half = VDI_VMUL(e, VDI__K(0.5));
    const VDI_V s = VDI_VDIV(e, VDI_VADD(VDI__K(2), e)), z = VDI_VMUL(s, s);
    const VDI_V y = VDI_VMUL(s, VDI_VFMA(half, e, VDI_VMUL(z, VDI__POLY(z, c))));
    return VDI_VADD(VDI_VMAX(x, VDI_VZERO()), VDI_VADD(e, VDI_VFNMA(half, e, y)));
}

/* |x| < 1: x + x p(x^2) (2^-29.6, 2^-56.9); else 1 - exp(-x^2) q(t), t = 1/(|x| + c) - shift
   (2^-34.7, 2^-56.8) */
VDI_LOCAL VDI_V VDI_PN(vdi__erf)(VDI_V x) {
#if VDI__REAL == 32
    static const VDI_T p[] = {0.128379166f,   -0.37612626f,     0.112835854f,   -0.0268538147f,
                              0.00518833054f, -0.000801020244f, 7.85384982e-05f};
    static const VDI_T q[] = {0.255395681f, 1.70874345f,  3.86651635f,
                              5.05516148f,  0.954816103f, -7.3856616f};
    const VDI_V c = VDI__K(2), shift = VDI__K(0.25), end = VDI__K(4);
#else
    static const VDI_T p[] = {
        0.12837916709551256,     -0.3761263890318352,     0.11283791670944185,
        -0.026866170643111486,   0.005223977606118636,    -0.0008548325929322667,
        0.00012055293577152214,  -1.4924712306931244e-05, 1.6447131632706816e-06,
        -1.6206314232119725e-07, 1.3710982452771908e-08,  -7.779472323948878e-10};
    static const VDI_T q[] = {0.19907263099385689, 2.962598598295585,  22.356434226366424,
                              144.6274977081179,   798.4457801677707,  3716.919356431333,
                              14246.144789583512,  42833.547022736486, 89438.33746683518,
                              76316.07242074826,   -300894.0076177552, -826132.0541833877};
    const VDI_V c = VDI__K(4), shift = VDI__K(0.15), end = VDI__K(6);
#endif
    VDI_V n;
    const VDI_V a = VDI_VMIN(end, VDI_VABS(x)), z = VDI_VMUL(a, a);
    const VDI_V t = VDI_PN(vdi__exp_parts)(VDI_VNEG(z), &n);
    const VDI_V e = VDI_PN(vdi__scale)(VDI_VADD(VDI__ONE, t), n);
    const VDI_V tail =
        VDI_VFNMA(e, VDI__POLY(VDI_VSUB(VDI_VDIV(VDI__ONE, VDI_VADD(a, c)), shift), q), VDI__ONE);
    return VDI_VOR(VDI_VSEL(VDI_VLT(a, VDI__ONE), VDI_VFMA(a, VDI__POLY(z, p), a), tail),
                   VDI__SIGN_OF(x));
}

/* One lane after the other through libm: for lanes that are rare. */
#define VDI__LANES(result, where, a, b, call)                             \
    do {                                                                  \
        VDI_T lane_r[VDI_W], lane_w[VDI_W], lane_a[VDI_W], lane_b[VDI_W]; \
        VDI_VSTORE(lane_r, result);                                       \
        VDI_VSTORE(lane_w, VDI_VSEL(where, VDI__ONE, VDI_VZERO()));       \
        VDI_VSTORE(lane_a, a);                                            \
        VDI_VSTORE(lane_b, b);                                            \
        for (int lane = 0; lane < VDI_W; lane++) {                        \
            const VDI_T u = lane_a[lane], v = lane_b[lane];               \
            (void)v;                                                      \
            if (lane_w[lane] != 0) lane_r[lane] = call;                   \
        }                                                                 \
        result = VDI_VLOAD(lane_r);                                       \
    } while (0)

/* y with libm's sines or cosines of x in the lanes that are hard */
VDI_SHARED VDI_V VDI_PN(vdi__circle_far)(VDI_V y, VDI_M hard, VDI_V x, bool cosine) {
    VDI__LANES(y, hard, x, x, cosine ? VDI__LIBM(cos)(u) : VDI__LIBM(sin)(u));
    return y;
}

/* sin and cos by one polynomial on |r| <= pi/2 (2^-34, 2^-60): |x| = n pi + r, with n whole for the
   sine and half an odd number for the cosine, and the sign that of (-1)^n. The last digits of the
   coefficients lean upwards at pi/2, and the result is held: it never passes 1, and cos(0) is 1. pi
   is in three parts: with a fused multiply-add the first step is exact; else the first two parts
   are exact times n, and what the second step lost is kept. Lanes with |x| beyond the range of n,
   or without a fused multiply-add so close to a zero that digits would be lost, ask libm. */
VDI_LOCAL VDI_V VDI_PN(vdi__circle)(VDI_V x, bool cosine) {
#if VDI__REAL == 32
    static const VDI_T c[] = {0.00833333377f, -0.000198409194f, 2.75256298e-06f, -2.38210518e-08f};
    const VDI_V sixth = VDI__K(-0.166666672f);
    const VDI_V limit = VDI__K(3000); /* n < 2^10 */
#if VDI_FMA
    const VDI_V p0 = VDI__K(3.14159274f), p1 = VDI__K(-8.74227766e-08f);
    const VDI_V p2 = VDI__K(-3.43024902e-15f);
#else
    const VDI_V p0 = VDI__K(3.140625f), p1 = VDI__K(0.000967502593994f);
    const VDI_V p2 = VDI__K(1.50995803e-07f), near = VDI__K(0.000244140625f); /* 2^-12 */
#endif
#else
    const VDI_V sixth = VDI__K(-0.16666666666666666);
    static const VDI_T c[] = {0.008333333333333241,   -0.00019841269841220483,
                              2.7557319212513674e-06, -2.5052106958210047e-08,
                              1.6058942358458965e-10, -7.643025807480593e-13,
                              2.7212025163064669e-15};
    const VDI_V limit = VDI__K(800000); /* n < 2^18 */
#if VDI_FMA
    const VDI_V p0 = VDI__K(3.141592653589793), p1 = VDI__K(1.2246467991473532e-16);
    const VDI_V p2 = VDI__K(-2.9947698097183397e-33);
#else
    const VDI_V p0 = VDI__K(3.1415926534682512), p1 = VDI__K(1.2154201012607932e-10);
    const VDI_V p2 = VDI__K(4.0445324975919013e-21);
    const VDI_V near = VDI__K(9.5367431640625e-07); /* 2^-20 */
#endif
#endif
    const VDI_V size = VDI_VABS(x), half = VDI__K(cosine ? 0.5 : 0);
    VDI_M hard = VDI_VGT(size, limit);
    const VDI_V a = VDI_VSEL(hard, VDI_VZERO(), size); /* whose powers do not overflow */
    const VDI_V m = VDI_VFMA(cosine ? VDI_VADD(a, VDI__K(1.57079632679489662)) : a,
                             VDI__K(0.318309886183790672), VDI__K(VDI_MAGIC));
    const VDI_V whole = VDI_VSUB(m, VDI__K(VDI_MAGIC)), n = cosine ? VDI_VSUB(whole, half) : whole;
    const VDI_V r0 = VDI_VFNMA(n, p0, a), r1 = VDI_VFNMA(n, p1, r0);
#if VDI_FMA
    const VDI_V r = VDI_VFNMA(n, p2, r1);
#else
    const VDI_V r = VDI_VADD(r1, VDI_VFNMA(n, p2, VDI_VFNMA(n, p1, VDI_VSUB(r0, r1))));
    hard = VDI_MOR(hard, VDI_MAND(VDI_VLT(VDI_VABS(r), near), VDI_VNE(n, VDI_VZERO())));
#endif
    const VDI_V z = VDI_VMUL(r, r);
    const VDI_V sine = VDI_VFMA(VDI_VMUL(z, r), VDI_VFMA(z, VDI__POLY(z, c), sixth), r);
    const VDI_V flip = VDI_IBITS(VDI_ISHL(VDI_VBITS(m), VDI_MANT + (VDI__REAL == 32 ? 8 : 11)));
    const VDI_V held = VDI_VMIN(VDI__ONE, VDI_VMAX(VDI__K(-1), sine));
    const VDI_V y = VDI_VXOR(held, cosine ? flip : VDI_VXOR(flip, VDI__SIGN_OF(x)));
    return VDI_MANY(hard) ? VDI_PN(vdi__circle_far)(y, hard, x, cosine) : y;
}
VDI_LOCAL VDI_V VDI_PN(vdi__sin)(VDI_V x) { return VDI_PN(vdi__circle)(x, false); }
VDI_LOCAL VDI_V VDI_PN(vdi__cos)(VDI_V x) { return VDI_PN(vdi__circle)(x, true); }
