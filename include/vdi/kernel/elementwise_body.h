/* kernel/elementwise_body.h - functions of one and two arguments; one pass
 *
 * Every function is a short chain of steps without branches: reduce the argument, a polynomial, put
 * the result together. The polynomials are minimax fits made for vdi (Remez exchange in 50 digits,
 * docs/guide/kernels.md); each states its interval and the relative error that it leaves in the
 * function. What a lane seldom needs (denormals, negative gammas, huge angles) stands behind one
 * "any lane?" branch per vector. All steps are exact or are single words of simd.h, and a product
 * that meets a sum is a fused multiply-add, so the paths that have one agree in every bit, except
 * where libm is asked (pow, huge sines).
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
VDI_LOCAL VDI_V VDI_PN(vdi__poly)(VDI_V z, const VDI_T *c, int n) {
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

/* exp(x) = 2^n (1 + t), |t| < 0.42, for BOTTOM <= x <= TOP; returns t. NaN passes. The polynomial
   is (exp(r) - 1 - r)/r^2 on |r| <= ln2/2: 2^-28, 2^-58. */
VDI_LOCAL VDI_V VDI_PN(vdi__exp_parts)(VDI_V x, VDI_V *n) {
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
    const VDI_V r = VDI_VFNMA(*n, VDI__LN2_LO, VDI_VFNMA(*n, VDI__LN2_HI, x));
    return VDI_VFMA(VDI_VMUL(r, r), VDI__POLY(r, c), r);
}

VDI_LOCAL VDI_V VDI_PN(vdi__exp)(VDI_V x) {
    VDI_V n;
    const VDI_V t = VDI_PN(vdi__exp_parts)(
        VDI_VMAX(VDI__K(VDI__EXP_BOTTOM), VDI_VMIN(VDI__K(VDI__EXP_TOP), x)), &n);
    return VDI_PN(vdi__scale_far)(VDI_VADD(VDI__ONE, t), n);
}

/* exp(-|x|), which neither overflows nor needs the upper clamp */
VDI_LOCAL VDI_V VDI_PN(vdi__exp_of_minus)(VDI_V size) {
    VDI_V n;
    const VDI_V t = VDI_PN(vdi__exp_parts)(VDI_VMAX(VDI__K(VDI__EXP_BOTTOM), VDI_VNEG(size)), &n);
    return VDI_PN(vdi__scale_far)(VDI_VADD(VDI__ONE, t), n);
}

/* 2^n t + (2^n - 1) as 2^n (t + (1 - 2^-n)): the bracket rounds once, and 2^n can't overflow on its
 * own */
VDI_SHARED VDI_V VDI_PN(vdi__expm1)(VDI_V x) {
    VDI_V n;
    const VDI_V t =
        VDI_PN(vdi__exp_parts)(VDI_VMAX(VDI__K(-40), VDI_VMIN(VDI__K(VDI__EXP_TOP), x)), &n);
    const VDI_V one =
        VDI_VSUB(VDI__ONE, VDI_PN(vdi__scale)(VDI__ONE, VDI_VNEG(VDI_VMIN(n, VDI__K(100)))));
    return VDI_VOR(VDI_PN(vdi__scale_far)(VDI_VADD(t, one), n), VDI__SIGN_OF(x));
}

/* Split x > 0 into m 2^e, 0.75 <= m < 1.5; returns m. Zero, negative, infinite and NaN arguments
 * are put right by log_ends. */
VDI_LOCAL VDI_V VDI_PN(vdi__log_split)(VDI_V x, VDI_V *e) {
#ifdef VDI_VGETMANT
    x = VDI_VADD(x, VDI_VZERO()); /* -0 would give the mantissa -1 */
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
VDI_LOCAL VDI_V VDI_PN(vdi__log_ends)(VDI_V x, VDI_V r) {
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
VDI_LOCAL VDI_V VDI_PN(vdi__log_rest)(VDI_V f, VDI_V e) {
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

VDI_LOCAL VDI_V VDI_PN(vdi__log)(VDI_V x) {
    VDI_V e;
    const VDI_V f = VDI_VSUB(VDI_PN(vdi__log_split)(x, &e), VDI__ONE);
    return VDI_PN(vdi__log_ends)(
        x, VDI_VFMA(e, VDI__LN2_HI, VDI_VADD(f, VDI_PN(vdi__log_rest)(f, e))));
}

/* the same where speed is not asked, to keep the code small */
VDI_SHARED VDI_V VDI_PN(vdi__log_call)(VDI_V x) { return VDI_PN(vdi__log)(x); }

/* log(u) of u = 1 + x, and what the sum lost goes into the mantissa */
VDI_SHARED VDI_V VDI_PN(vdi__log1p)(VDI_V x) {
    VDI_V e;
    const VDI_V u = VDI_VADD(VDI__ONE, x), x1 = VDI_VSUB(u, VDI__ONE);
    const VDI_V lost = VDI_VADD(VDI_VSUB(VDI__ONE, VDI_VSUB(u, x1)), VDI_VSUB(x, x1));
    const VDI_V m = VDI_PN(vdi__log_split)(u, &e);
    const VDI_M near = VDI_MAND(VDI_VGT(u, VDI_VZERO()), VDI_VLT(e, VDI__K(VDI_MANT + 3)));
    const VDI_V down = VDI_VNEG(VDI_VMAX(VDI__K(-100), VDI_VMIN(VDI__K(100), e)));
    const VDI_V f = VDI_VADD(VDI_VSUB(m, VDI__ONE),
                             VDI_VSEL(near, VDI_PN(vdi__scale)(lost, down), VDI_VZERO()));
    const VDI_V r = VDI_VFMA(e, VDI__LN2_HI, VDI_VADD(f, VDI_PN(vdi__log_rest)(f, e)));
    return VDI_VOR(VDI_PN(vdi__log_ends)(u, r), VDI__SIGN_OF(x));
}

/* |x| < 0.625: x + x z p(z), z = x^2 (2^-27.8, 2^-59); else 1 - 2/(exp(2|x|) + 1). F64 shares the
 * division between the two. */
VDI_LOCAL VDI_V VDI_PN(vdi__tanh)(VDI_V x) {
    VDI_V n;
    const VDI_V a = VDI_VABS(x), z = VDI_VMUL(x, x);
    const VDI_V t =
        VDI_PN(vdi__exp_parts)(VDI_VMIN(VDI__K(VDI__REAL == 32 ? 20 : 40), VDI_VADD(a, a)), &n);
    const VDI_V e1 = VDI_VADD(VDI_PN(vdi__scale)(VDI_VADD(VDI__ONE, t), n), VDI__ONE);
    const VDI_M small = VDI_VLT(a, VDI__K(0.625));
#if VDI__REAL == 32
    static const VDI_T c[] = {-0.333332807f, 0.133314416f, -0.0537397116f, 0.0206390768f,
                              -0.00570497476f};
    const VDI_V r = VDI_VSEL(small, VDI_VFMA(VDI_VMUL(a, z), VDI__POLY(z, c), a),
                             VDI_VSUB(VDI__ONE, VDI_VDIV(VDI__K(2), e1)));
#else
    static const VDI_T p[] = {-1613.993357006602, -99.25410017871536, -0.9643860146794839};
    static const VDI_T q[] = {4841.980071019807, 2234.554328944051, 112.77525907612463, 1};
    const VDI_V over = VDI_VSEL(small, VDI_VMUL(VDI_VMUL(a, z), VDI__POLY(z, p)), VDI__K(-2));
    const VDI_V r = VDI_VADD(VDI_VSEL(small, a, VDI__ONE),
                             VDI_VDIV(over, VDI_VSEL(small, VDI__POLY(z, q), e1)));
#endif
    return VDI_VOR(r, VDI__SIGN_OF(x));
}

/* e = exp(-|x|) <= 1: 1/(1 + e) or e/(1 + e), so that small results keep their digits down to the
   denormals. What 1 + e lost is made good to first order, with 1/(1 + e) taken as 1 - e/2: without
   it the error passes 2 ulp. */
VDI_LOCAL VDI_V VDI_PN(vdi__sigmoid)(VDI_V x) {
    const VDI_V e = VDI_PN(vdi__exp_of_minus)(VDI_VABS(x)), d = VDI_VADD(VDI__ONE, e);
    const VDI_V lost =
        VDI_VMUL(VDI_VSUB(e, VDI_VSUB(d, VDI__ONE)), VDI_VFNMA(e, VDI__K(0.5), VDI__ONE));
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
    const VDI_V e = VDI_PN(vdi__exp_of_minus)(VDI_VABS(x)), half = VDI_VMUL(e, VDI__K(0.5));
    const VDI_V s = VDI_VDIV(e, VDI_VADD(VDI__K(2), e)), z = VDI_VMUL(s, s);
    const VDI_V y = VDI_VMUL(s, VDI_VFMA(half, e, VDI_VMUL(z, VDI__POLY(z, c))));
    return VDI_VADD(VDI_VMAX(x, VDI_VZERO()), VDI_VADD(e, VDI_VFNMA(half, e, y)));
}

/* |x| < 1: x p(x^2) (2^-34.8, 2^-62.7); else 1 - exp(-x^2) q(t), t = 1/(|x| + c) - shift (2^-34.7,
 * 2^-56.8) */
VDI_SHARED VDI_V VDI_PN(vdi__erf)(VDI_V x) {
#if VDI__REAL == 32
    static const VDI_T p[] = {1.12837923f,    -0.376126379f,    0.112837821f,    -0.0268654004f,
                              0.00522094546f, -0.000848282885f, 0.000112569491f, -9.64152605e-06f};
    static const VDI_T q[] = {0.255395681f, 1.70874345f,  3.86651635f,
                              5.05516148f,  0.954816103f, -7.3856616f};
    const VDI_V c = VDI__K(2), shift = VDI__K(0.25), end = VDI__K(4);
#else
    static const VDI_T p[] = {
        1.1283791670955126,      -0.37612638903183754,    0.11283791670955119,
        -0.026866170645129733,   0.005223977625422087,    -0.0008548327021853254,
        0.00012055332899359399,  -1.4925647465133911e-05, 1.6462043407635958e-06,
        -1.6364614413618273e-07, 1.4792145635160426e-08,  -1.216304099060909e-09,
        8.703785967142831e-11,   -4.222889391418779e-12};
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
    return VDI_VOR(VDI_VSEL(VDI_VLT(a, VDI__ONE), VDI_VMUL(a, VDI__POLY(z, p)), tail),
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

/* sin and cos: r = x - n pi/2 with pi/2 in three parts, two of them exact times n. Lanes with |x|
   beyond the range of n, or so close to a multiple of pi/2 that digits would be lost, ask libm. */
VDI_SHARED VDI_V VDI_PN(vdi__circle)(VDI_V x, bool cosine) {
#if VDI__REAL == 32
    static const VDI_T s[] = {-0.166666552f, 0.00833216868f, -0.000195160261f};
    static const VDI_T c[] = {0.0416666456f, -0.00138873036f, 2.44317253e-05f};
    const VDI_V p0 = VDI__K(1.570556640625);
    const VDI_V p1 = VDI__K(0.0002396702766418457);
    const VDI_V p2 = VDI__K(1.58932547e-08);
    const VDI_V limit = VDI__K(3000), near = VDI__K(0.000244140625); /* n < 2^11, 2^-12 */
#else
    static const VDI_T s[] = {-0.16666666666666632,   0.008333333333322205,
                              -0.0001984126982963314, 2.7557313628878364e-06,
                              -2.50507478889765e-08,  1.5896183567613096e-10};
    static const VDI_T c[] = {0.04166666666666659,    -0.0013888888888872735,
                              2.4801587288645455e-05, -2.7557314118226295e-07,
                              2.087569234735086e-09,  -1.1358087106734487e-11};
    const VDI_V p0 = VDI__K(1.5707963267341256);
    const VDI_V p1 = VDI__K(6.077100506303966e-11);
    const VDI_V p2 = VDI__K(2.0222662487959506e-21);
    const VDI_V limit = VDI__K(800000), near = VDI__K(9.5367431640625e-07); /* n < 2^20, 2^-20 */
#endif
    const VDI_V m = VDI_VFMA(x, VDI__K(0.63661977236758134308), VDI__K(VDI_MAGIC));
    const VDI_V n = VDI_VSUB(m, VDI__K(VDI_MAGIC));
    const VDI_V r0 = VDI_VFNMA(n, p0, x), r1 = VDI_VFNMA(n, p1, r0);
    const VDI_V lost = VDI_VFNMA(n, p1, VDI_VSUB(r0, r1)); /* r0 - r1 is exact, and so is n p1 */
    const VDI_V low = VDI_VFNMA(n, p2, lost);
    const VDI_V r = VDI_VADD(r1, low);
    const VDI_V d = VDI_VADD(VDI_VSUB(r1, r), low);
    const VDI_V z = VDI_VMUL(r, r);
    const VDI_V sine = VDI_VADD(r, VDI_VFMA(VDI_VMUL(z, r), VDI__POLY(z, s), d));
    /* 1 - z/2 and its rest */
    const VDI_V h = VDI_VFNMA(z, VDI__K(0.5), VDI__ONE);
    const VDI_V hl = VDI_VFNMA(z, VDI__K(0.5), VDI_VSUB(VDI__ONE, h));
    const VDI_V cosv = VDI_VADD(h, VDI_VFMA(VDI_VMUL(z, z), VDI__POLY(z, c), VDI_VFNMA(r, d, hl)));
    const VDI_I quarter = VDI_IADD(VDI_VBITS(m), VDI_ISET1(cosine));
    const VDI_V odd = VDI_IBITS(VDI_ISHL(quarter, VDI_MANT + (VDI__REAL == 32 ? 8 : 11)));
    const VDI_V flip = VDI_IBITS(VDI_IAND(VDI_ISHL(quarter, VDI_MANT + (VDI__REAL == 32 ? 7 : 10)),
                                          VDI_VBITS(VDI__K(-0.0))));
    const VDI_V pick = VDI_VSEL(VDI_VEQ(VDI_VOR(odd, VDI__ONE), VDI__ONE), sine, cosv);
    VDI_V y = VDI_VXOR(pick, flip);
    if (!cosine) y = VDI_VSEL(VDI_VEQ(x, VDI_VZERO()), x, y);
    const VDI_M hard = VDI_MOR(VDI_VGT(VDI_VABS(x), limit),
                               VDI_MAND(VDI_VLT(VDI_VABS(r), near), VDI_VNE(n, VDI_VZERO())));
    if (VDI_MANY(hard)) VDI__LANES(y, hard, x, x, cosine ? VDI__LIBM(cos)(u) : VDI__LIBM(sin)(u));
    return y;
}
VDI_LOCAL VDI_V VDI_PN(vdi__sin)(VDI_V x) { return VDI_PN(vdi__circle)(x, false); }
VDI_LOCAL VDI_V VDI_PN(vdi__cos)(VDI_V x) { return VDI_PN(vdi__circle)(x, true); }

/* sin(pi r)/pi for |r| <= 1/2 (2^-27.6, 2^-62) */
VDI_LOCAL VDI_V VDI_PN(vdi__sinpi_near)(VDI_V r) {
#if VDI__REAL == 32
    static const VDI_T c[] = {-1.64493346f, 0.811718524f, -0.190461904f, 0.0247549526f};
#else
    static const VDI_T c[] = {-1.6449340668482264,    0.8117424252833418,    -0.1907518241215603,
                              0.026147847806417233,   -0.002346080902078053, 0.00014842787011489522,
                              -6.972165623293195e-06, 2.4509180430010564e-07};
#endif
    const VDI_V z = VDI_VMUL(r, r);
    return VDI_VFMA(VDI_VMUL(r, z), VDI__POLY(z, c), r);
}

/* sin(pi a)/pi for a >= 0, up to its sign; *r is a less the nearest integer. Exactly 0 at
 * integers. */
VDI_LOCAL VDI_V VDI_PN(vdi__sinpi)(VDI_V a, VDI_V *r) {
    /* beyond it the rounding trick would lose the halves */
    const VDI_V high = VDI__K((VDI_IT)1 << (VDI_MANT - 1));
    const VDI_V b = VDI_VSEL(VDI_VGE(a, high), VDI_VSUB(a, high), a);
    *r = VDI_VSEL(VDI_VGE(b, high), VDI_VZERO(), VDI_VSUB(b, VDI_PN(vdi__round)(b)));
    return VDI_PN(vdi__sinpi_near)(*r);
}

/* x >= 3, finite: Stirling's (x - 1/2)(log x - 1) + log(2 pi)/2 - 1/2 + w(1/x^2)/x (2^-34.9,
   2^-60). The logarithm in two parts, since its rounding is worth x - 1/2 times as much. */
VDI_SHARED VDI_V VDI_PN(vdi__stirling)(VDI_V x) {
#if VDI__REAL == 32
    static const VDI_T c[] = {0.0833333209f, -0.00277713197f, 0.000777554407f, -0.000420434109f};
#else
    static const VDI_T c[] = {
        0.08333333333333301,   -0.0027777777776075946, 0.000793650760693785, -0.0005952347554057809,
        0.0008415449769678283, -0.0019091245403893716, 0.006170103713617925, -0.024526499592455547,
        0.09904078034579851,   -0.33304339190628307,   0.7595132574425421,   -0.8401317025333921};
#endif
    VDI_V e;
    const VDI_V f = VDI_VSUB(VDI_PN(vdi__log_split)(x, &e), VDI__ONE);
    const VDI_V rest = VDI_PN(vdi__log_rest)(f, e);
    const VDI_V t = VDI_VFMA(e, VDI__LN2_HI, f);
    const VDI_V lost = VDI_VADD(VDI_VFMA(e, VDI__LN2_HI, VDI_VNEG(t)), f);
    const VDI_V low = VDI_VADD(lost, rest);
    const VDI_V lh = VDI_VADD(t, low), ll = VDI_VADD(VDI_VSUB(t, lh), low);
    const VDI_V r = VDI_VDIV(VDI__ONE, x), q = VDI_VSUB(x, VDI__K(0.5));
    const VDI_V w = VDI_VFMA(r, VDI__POLY(VDI_VMUL(r, r), c), VDI__K(0.41893853320467274178));
    return VDI_VFMA(q, VDI_VSUB(lh, VDI__ONE), VDI_VFMA(q, ll, w));
}

/* The rest of lgamma: with a = |x|, for a < 3 (b - 1)(b - 2) p(b - 2), where b is a, or 1 + a below
   1 (2^-27.5, 2^-55 of the result, its zeros at 1 and 2 included); below 1 Gamma(a) = Gamma(1 +
   a)/a, below 0 Gamma(-a) = -pi/(a sin(pi a) Gamma(a)). */
VDI_SHARED VDI_V VDI_PN(vdi__lgamma_rest)(VDI_V x) {
#if VDI__REAL == 32
    static const VDI_T c[] = {0.422784328f,    -0.10031727f,     0.0329649448f,   -0.0123849772f,
                              0.00499948254f,  -0.00210205279f,  0.000910497329f, -0.000425590493f,
                              0.000195816043f, -5.24008574e-05f, 2.02351493e-05f, -3.8740829e-05f,
                              1.93133856e-05f};
#else
    static const VDI_T c[] = {
        0.42278433509846713,    -0.10031730167435422,    0.032965000621157016,
        -0.01238419219333427,   0.004998641164621209,    -0.002108130835271449,
        0.0009153769241709339,  -0.0004057073757738462,  0.00018255261386713922,
        -8.309532808580497e-05, 3.816908711043378e-05,   -1.7660511934630186e-05,
        8.221188097075731e-06,  -3.851749323245865e-06,  1.8115273809040304e-06,
        -8.415242160771223e-07, 3.9561868002123556e-07,  -2.1198994904265045e-07,
        1.0458453836158791e-07, -1.8774634147837885e-08, 5.556257601357471e-09,
        -2.992899340077404e-08, 1.6407080014079688e-08,  7.634111416208367e-09,
        -4.386815254135892e-09, -3.0590213628466957e-09, 1.5861401657167386e-09};
#endif
    const VDI_V a = VDI_VABS(x);
    const VDI_M low = VDI_VLT(a, VDI__K(3));
    const VDI_M unit = VDI_VLT(a, VDI__ONE);
    const VDI_M below = VDI_VLT(x, VDI_VZERO());
    VDI_V y = VDI_VZERO();
    if (VDI_MANY(low)) {
        const VDI_V d = VDI_VSEL(unit, a, VDI_VSUB(a, VDI__ONE)), u = VDI_VSUB(d, VDI__ONE);
        y = VDI_VMUL(VDI_VMUL(d, u), VDI__POLY(VDI_VSEL(low, u, VDI_VZERO()), c));
    }
    if (VDI_MANY(VDI_MNOT(low)))
        y = VDI_VSEL(low, y, VDI_PN(vdi__stirling)(VDI_VMAX(a, VDI__K(3))));
    if (VDI_MANY(VDI_VLT(x, VDI__ONE))) {
        VDI_V r, q = a;
        if (VDI_MANY(below)) {
            q = VDI_VSEL(below,
                         VDI_VMUL(VDI_VABS(VDI_PN(vdi__sinpi)(a, &r)), VDI_VSEL(unit, VDI__ONE, a)),
                         a);
        }
        const VDI_V l = VDI_PN(vdi__log_call)(q);
        y = VDI_VSEL(below, VDI_VSUB(VDI_VNEG(l), y), VDI_VSEL(unit, VDI_VSUB(y, l), y));
    }
    const VDI_M pole = VDI_MOR(VDI_VEQ(a, VDI__K(INFINITY)),
                               VDI_MAND(below, VDI_VGE(a, VDI__K((VDI_IT)1 << VDI_MANT))));
    return VDI_VSEL(VDI_VNE(x, x), x, VDI_VSEL(pole, VDI__K(INFINITY), y));
}

VDI_LOCAL VDI_V VDI_PN(vdi__lgamma)(VDI_V x) {
    const VDI_M plain = VDI_MAND(VDI_VGE(x, VDI__K(3)), VDI_VLE(x, VDI__K(VDI__LARGEST)));
    return VDI__UNLIKELY(VDI_MANY(VDI_MNOT(plain))) ? VDI_PN(vdi__lgamma_rest)(x)
                                                    : VDI_PN(vdi__stirling)(x);
}

/* Digamma, anywhere. a = |x| >= 3: log a - 1/(2a) - w(1/a^2)/a^2 (2^-33, 2^-57.6); below, (b - x0)
   p(b - 2) around the zero x0, where b is a, or 1 + a below 1 (2^-26.7, 2^-55). psi(a) = psi(1 +
   a) - 1/a, psi(-a) = psi(1 + a) + pi cot(pi a). At 0 it is an infinity of the opposite sign, at
   negative integers NaN. */
VDI_SHARED VDI_V VDI_PN(vdi__digamma)(VDI_V x) {
#if VDI__REAL == 32
    static const VDI_T far[] = {0.0833332762f, -0.00832876097f, 0.00384523626f, -0.0027334413f};
    static const VDI_T c[] = {0.785307527f,    -0.260738969f,    0.10899923f,     -0.0495502315f,
                              0.0234580394f,   -0.011347454f,    0.00549005624f,  -0.00269593834f,
                              0.00152676494f,  -0.000780506816f, 0.000109899112f, -3.78580953e-05f,
                              0.000221697046f, -0.000115928349f};
    const VDI_V zero = VDI__K(0.461632133f), zero_low = VDI__K(1.24381501e-08f);
#else
    static const VDI_T far[] = {0.08333333333332942,   -0.008333333331100977, 0.0039682535053907,
                                -0.004166617004185749, 0.0075725404834504,    -0.020955451747581542,
                                0.07923669890960336,   -0.35377342856749944,  1.5483717861381332,
                                -5.505004311554865,    13.074026634326856,    -14.924010131059347};
    static const VDI_T c[] = {
        0.7853075386041053,     -0.26073895468300085,    0.10899991701762683,
        -0.04955103291774889,   0.023447309597687795,    -0.01133843255016705,
        0.00555225417229619,    -0.0027395729447941236,  0.0013581421776893544,
        -0.0006753126909018148, 0.00033643247798809453,  -0.00016781988430157257,
        8.377913567646453e-05,  -4.1824522736761474e-05, 2.089357793834854e-05,
        -1.051060975808876e-05, 5.264126111487112e-06,   -2.476162135758838e-06,
        1.2199301105398964e-06, -8.606770070335598e-07,  4.520902951940696e-07,
        6.05539689697516e-08,   -4.838410916707933e-08,  -2.0236392996557895e-07,
        1.1102619415205207e-07, 6.22984233247009e-08,    -3.43009286810185e-08,
        -1.910013213004707e-08, 1.0000501713837044e-08};
    const VDI_V zero = VDI__K(0.46163214496836224), zero_low = VDI__K(9.549995429965697e-17);
#endif
    const VDI_V a = VDI_VABS(x);
    const VDI_M low = VDI_VLT(a, VDI__K(3));
    const VDI_M unit = VDI_VLT(a, VDI__ONE);
    const VDI_M below = VDI_VLT(x, VDI_VZERO());
    VDI_V y = VDI_VZERO();
    if (VDI_MANY(low)) { /* d = b - 1 */
        const VDI_V d = VDI_VSEL(unit, a, VDI_VSUB(a, VDI__ONE)), u = VDI_VSUB(d, VDI__ONE);
        y = VDI_VMUL(VDI_VSUB(VDI_VSUB(d, zero), zero_low),
                     VDI__POLY(VDI_VSEL(low, u, VDI_VZERO()), c));
    }
    if (VDI_MANY(VDI_MNOT(low))) {
        const VDI_V b = VDI_VMAX(a, VDI__K(3)), r = VDI_VDIV(VDI__ONE, b);
        const VDI_V w =
            VDI_VFMA(VDI_VMUL(r, r), VDI__POLY(VDI_VMUL(r, r), far), VDI_VMUL(r, VDI__K(0.5)));
        y = VDI_VSEL(low, y, VDI_VSUB(VDI_PN(vdi__log_call)(b), w));
    }
    if (VDI_MANY(VDI_VLT(x, VDI__ONE))) {
        /* y is psi(1 + a) where a < 1, else psi(a); wanted is psi(a) above 0 and psi(1 + a) below:
         * -1/a or 1/a, both -1/x, make up for it
         */
        y = VDI_VSEL(VDI_MOR(VDI_MAND(unit, below), VDI_VGE(x, VDI__ONE)), y,
                     VDI_VSUB(y, VDI_VDIV(VDI__ONE, x)));
        if (VDI_MANY(below)) {
            VDI_V r;
            /* and the cosine is the sine of what is left to 1/2 */
            const VDI_V s = VDI_PN(vdi__sinpi)(a, &r);
            const VDI_V cot =
                VDI_VDIV(VDI_VMUL(VDI__K(VDI_PI),
                                  VDI_PN(vdi__sinpi_near)(VDI_VSUB(VDI__K(0.5), VDI_VABS(r)))),
                         s);
            y = VDI_VSEL(below, VDI_VSEL(VDI_VEQ(s, VDI_VZERO()), VDI__K(NAN), VDI_VADD(y, cot)),
                         y);
        }
    }
    return VDI_VSEL(VDI_VNE(x, x), x, y);
}

/* Trigamma, for the derivative of digamma: x >= 3: 1/x + 1/(2x^2) + w(1/x^2)/x^3 (2^-29.7, 2^-53);
   below by three steps of psi'(x) = psi'(1 + x) + 1/x^2; psi'(-a) = pi^2/sin^2(pi a) - psi'(1 +
   a). */
VDI_SHARED VDI_V VDI_PN(vdi__trigamma)(VDI_V x) {
#if VDI__REAL == 32
    static const VDI_T c[] = {0.166666314f, -0.03329961f, 0.0227971654f, -0.0204169266f};
#else
    static const VDI_T c[] = {0.16666666666645946,   -0.0333333332161007, 0.023809500691860518,
                              -0.033331038996077464, 0.07562295467131015, -0.24799575960812947,
                              1.0325047014928006,    -4.531683308142845,  16.95569635659561,
                              -43.350059306432826,   53.65095588766297};
#endif
    const VDI_M above = VDI_VGT(x, VDI_VZERO());
    const VDI_V a = VDI_VABS(x), b = VDI_VSEL(above, x, VDI_VADD(VDI__ONE, a));
    const VDI_M low = VDI_VLT(b, VDI__K(3));
    const VDI_V r = VDI_VDIV(VDI__ONE, VDI_VSEL(low, VDI_VADD(b, VDI__K(3)), b));
    const VDI_V z = VDI_VMUL(r, r);
    VDI_V y = VDI_VFMA(VDI_VMUL(r, z), VDI__POLY(z, c), VDI_VFMA(z, VDI__K(0.5), r));
    if (VDI_MANY(low)) {
        const VDI_V r0 = VDI_VDIV(VDI__ONE, b);
        const VDI_V r1 = VDI_VDIV(VDI__ONE, VDI_VADD(b, VDI__ONE));
        const VDI_V r2 = VDI_VDIV(VDI__ONE, VDI_VADD(b, VDI__K(2)));
        y = VDI_VSEL(low, VDI_VFMA(r0, r0, VDI_VFMA(r1, r1, VDI_VFMA(r2, r2, y))), y);
    }
    if (VDI_MANY(VDI_MNOT(above))) {
        VDI_V fraction;
        const VDI_V s = VDI_VDIV(VDI__ONE, VDI_PN(vdi__sinpi)(a, &fraction));
        y = VDI_VSEL(above, y, VDI_VFMA(s, s, VDI_VNEG(y)));
    }
    return VDI_VSEL(VDI_VNE(x, x), x, y);
}

#define VDI__LOAD(p) (whole ? VDI_VLOAD((p) + i) : VDI_VLOADT((p) + i, VDI_VTAIL(n - i)))
#define VDI__EACH(result)                            \
    for (size_t i = 0; i < n; i += VDI_W) {          \
        const bool whole = n - i >= VDI_W;           \
        const VDI_V r = result;                      \
        if (whole) {                                 \
            VDI_VSTORE(y + i, r);                    \
        } else {                                     \
            VDI_VSTORET(y + i, VDI_VTAIL(n - i), r); \
            break;                                   \
        }                                            \
    }
/* An op: f(v), and its derivative as a function of v = x and w = f(x); q is the parameter. */
#define VDI__UNARY(name, value, slope)                                                           \
    VDI_LOCAL VDI_V VDI_PN(vdi__value_##name)(VDI_V v, VDI_V q) {                                \
        (void)q;                                                                                 \
        return value;                                                                            \
    }                                                                                            \
    VDI_LOCAL VDI_V VDI_PN(vdi__slope_##name)(VDI_V v, VDI_V w, VDI_V q) {                       \
        (void)v;                                                                                 \
        (void)w;                                                                                 \
        (void)q;                                                                                 \
        return slope;                                                                            \
    }                                                                                            \
    VDI_KERNEL void VDI_PN(vdi__unary_##name)(size_t n, double p, const void *x_, void *y_) {    \
        const VDI_T *x = (const VDI_T *)x_;                                                      \
        VDI_T *y = (VDI_T *)y_;                                                                  \
        const VDI_V q = VDI_VSET1((VDI_T)p);                                                     \
        VDI__EACH(VDI_PN(vdi__value_##name)(VDI__LOAD(x), q))                                    \
    }                                                                                            \
    VDI_KERNEL void VDI_PN(vdi__unary_grad_##name)(size_t n, double p, const void *x_,           \
                                                   const void *y_, const void *dy_, void *dx_) { \
        const VDI_T *x = (const VDI_T *)x_, *w = (const VDI_T *)y_, *dy = (const VDI_T *)dy_;    \
        VDI_T *y = (VDI_T *)dx_;                                                                 \
        const VDI_V q = VDI_VSET1((VDI_T)p);                                                     \
        VDI__EACH(VDI_VFMA(VDI__LOAD(dy),                                                        \
                           VDI_PN(vdi__slope_##name)(VDI__LOAD(x), VDI__LOAD(w), q),             \
                           VDI__LOAD(y)))                                                        \
    }
#define VDI__POSITIVE VDI_VGT(v, VDI_VZERO())
VDI__UNARY(exp, VDI_PN(vdi__exp)(v), w)
VDI__UNARY(log, VDI_PN(vdi__log)(v), VDI_VDIV(VDI__ONE, v))
VDI__UNARY(log1p, VDI_PN(vdi__log1p)(v), VDI_VDIV(VDI__ONE, VDI_VADD(VDI__ONE, v)))
VDI__UNARY(expm1, VDI_PN(vdi__expm1)(v), VDI_VADD(w, VDI__ONE))
VDI__UNARY(tanh, VDI_PN(vdi__tanh)(v), VDI_VFNMA(w, w, VDI__ONE))
VDI__UNARY(sigmoid, VDI_PN(vdi__sigmoid)(v), VDI_VMUL(w, VDI_VSUB(VDI__ONE, w)))
VDI__UNARY(softplus, VDI_PN(vdi__softplus)(v), VDI_PN(vdi__sigmoid)(v))
VDI__UNARY(relu, VDI_VSEL(VDI_VLE(v, VDI_VZERO()), VDI_VZERO(), v),
           VDI_VSEL(VDI__POSITIVE, VDI__ONE, VDI_VZERO()))
VDI__UNARY(leaky_relu, VDI_VSEL(VDI__POSITIVE, v, VDI_VMUL(q, v)),
           VDI_VSEL(VDI__POSITIVE, VDI__ONE, q))
VDI__UNARY(elu, VDI_VSEL(VDI__POSITIVE, v, VDI_VMUL(q, VDI_PN(vdi__expm1)(v))),
           VDI_VSEL(VDI__POSITIVE, VDI__ONE, VDI_VADD(w, q)))
VDI__UNARY(sqrt, VDI_VSQRT(v), VDI_VDIV(VDI__K(0.5), w))
VDI__UNARY(rsqrt, VDI_VDIV(VDI__ONE, VDI_VSQRT(v)),
           VDI_VMUL(VDI_VMUL(VDI__K(-0.5), w), VDI_VMUL(w, w)))
VDI__UNARY(reciprocal, VDI_VDIV(VDI__ONE, v), VDI_VNEG(VDI_VMUL(w, w)))
VDI__UNARY(erf, VDI_PN(vdi__erf)(v),
           VDI_VMUL(VDI__K(1.1283791670955126), VDI_PN(vdi__exp)(VDI_VNEG(VDI_VMUL(v, v)))))
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

/* libm's power, lane by lane: it is right in every corner, and no model spends its time here */
VDI_LOCAL VDI_V VDI_PN(vdi__pow)(VDI_V a, VDI_V b) {
    VDI_V y = a;
    VDI__LANES(y, VDI_VEQ(VDI_VZERO(), VDI_VZERO()), a, b, VDI__LIBM(pow)(u, v));
    return y;
}
/* x + y is NaN where either is, and only there once the comparison has failed for that reason */
VDI_LOCAL VDI_V VDI_PN(vdi__max)(VDI_V a, VDI_V b) {
    return VDI_VSEL(VDI_VNE(a, a), a, VDI_VMAX(a, b));
}
VDI_LOCAL VDI_V VDI_PN(vdi__min)(VDI_V a, VDI_V b) {
    return VDI_VSEL(VDI_VNE(a, a), a, VDI_VMIN(a, b));
}

#define VDI__STEPPED(p, one) (p##_step ? VDI__LOAD(p) : one)
#define VDI__BINARY(kind, name, result)                                                  \
    VDI_KERNEL void VDI_PN(vdi__##kind##_##name)(size_t n, const void *a_, int a_step,   \
                                                 const void *b_, int b_step, void *y_) { \
        const VDI_T *a = (const VDI_T *)a_, *b = (const VDI_T *)b_;                      \
        VDI_T *y = (VDI_T *)y_;                                                          \
        if (n == 0) return;                                                              \
        const VDI_V one_a = VDI_VSET1(a[0]), one_b = VDI_VSET1(b[0]);                    \
        for (size_t i = 0; i < n; i += VDI_W) {                                          \
            const bool whole = n - i >= VDI_W;                                           \
            const VDI_V u = VDI__STEPPED(a, one_a), v = VDI__STEPPED(b, one_b);          \
            const VDI_V r = result;                                                      \
            if (whole) {                                                                 \
                VDI_VSTORE(y + i, r);                                                    \
            } else {                                                                     \
                VDI_VSTORET(y + i, VDI_VTAIL(n - i), r);                                 \
                break;                                                                   \
            }                                                                            \
        }                                                                                \
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

VDI_KERNEL void VDI_PN(vdi__kernel_axpby)(size_t n, double alpha, const void *x_, double beta,
                                          void *y_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    const VDI_V a = VDI_VSET1((VDI_T)alpha), b = VDI_VSET1((VDI_T)beta);
    if (beta == 0) {
        VDI__EACH(VDI_VMUL(a, VDI__LOAD(x)))
    } else if (beta == 1) {
        VDI__EACH(VDI_VFMA(a, VDI__LOAD(x), VDI__LOAD(y)))
    } else {
        VDI__EACH(VDI_VFMA(a, VDI__LOAD(x), VDI_VMUL(b, VDI__LOAD(y))))
    }
}

/* NaN fails both comparisons and comes out as it is */
VDI_KERNEL void VDI_PN(vdi__kernel_clip)(size_t n, double low, double high, const void *x_,
                                         void *y_) {
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
#undef VDI__LANES
#undef VDI__POLY
#undef VDI__SIGN_OF
#undef VDI__LN2_HI
#undef VDI__LN2_LO
#undef VDI__EXP_TOP
#undef VDI__EXP_BOTTOM
#undef VDI__SMALLEST
#undef VDI__LARGEST
