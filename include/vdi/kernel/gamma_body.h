/* kernel/gamma_body.h - the logarithm of the gamma function and its first two derivatives; one
 * pass */
/* sin(pi r)/pi for |r| <= 1/2 (2^-27.6, 2^-62) */
VDI_STEP VDI_V VDI_PN(vdi__sinpi_near)(VDI_V r) {
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
VDI_STEP VDI_V VDI_PN(vdi__sinpi)(VDI_V a, VDI_V *r) {
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
        const VDI_V b = VDI_VMIN(VDI__K(3), a);
        const VDI_V d = VDI_VSEL(unit, b, VDI_VSUB(b, VDI__ONE)), u = VDI_VSUB(d, VDI__ONE);
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
            VDI_V r = VDI_VZERO();
            /* and the cosine is the sine of what is left to 1/2 */
            const VDI_V s = VDI_VSEL(below, VDI_PN(vdi__sinpi)(a, &r), VDI__ONE);
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
        /* lanes that do not use it take sin(pi/2); clang drops a selection behind the sine */
        VDI_V fraction;
        const VDI_V half = VDI_VSEL(above, VDI__K(0.5), a);
        const VDI_V s = VDI_VDIV(VDI__ONE, VDI_PN(vdi__sinpi)(half, &fraction));
        y = VDI_VSEL(above, y, VDI_VFMA(s, s, VDI_VNEG(y)));
    }
    return VDI_VSEL(VDI_VNE(x, x), x, y);
}
