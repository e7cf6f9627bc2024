/* linalg/blocktri_move_body.h - lanes in and out, and elementwise work on blocks; one pass */

/* Lanes in and out, VDI__BT_STAGE elements at a time. Squares of VDI_TBLOCK trials and elements are
   turned over in registers; where a trial is missing, the others go in one by one; where one ends
   early, its piece is completed with zeros in a staging row first. */
#define VDI__BT_STAGE 128
/* dst[e][lane] = src[lane * stride + e] for e < count[lane], else 0; n elements. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_pack)(const void *src, int64_t stride,
                                                  const int64_t *count, int64_t n, void *dst) {
    VDI_T stage[VDI_TBLOCK * VDI__BT_STAGE];
    for (int64_t e0 = 0; e0 < n; e0 += VDI__BT_STAGE) {
        const int64_t some = VDI__MIN(n - e0, (int64_t)VDI__BT_STAGE);
        for (int w = 0; w < VDI__BT_LANES; w += VDI_TBLOCK) {
            const VDI_T *x = stage;
            VDI_T *y = (VDI_T *)dst + e0 * VDI__BT_LANES + w;
            int64_t ldx = VDI__BT_STAGE, least = some, e = 0;
            for (int q = 0; q < VDI_TBLOCK; q++)
                least = VDI__MIN(least, count[w + q] - e0);
            bool all_or_none = true;
            for (int q = 0; q < VDI_TBLOCK; q++)
                all_or_none &= count[w + q] <= e0 || count[w + q] - e0 >= some;
            if (least == some) {
                x = (const VDI_T *)src + w * stride + e0;
                ldx = stride;
            } else if (all_or_none) {
                static const VDI_T nothing[VDI__BT_STAGE] = {0};
                const VDI_T *z[VDI_TBLOCK];
                bool any = false;
                for (int q = 0; q < VDI_TBLOCK; q++) {
                    const bool there = count[w + q] > e0;
                    z[q] = there ? (const VDI_T *)src + (w + q) * stride + e0 : nothing;
                    any |= there;
                }
                for (e = 0; !any && e < some; e++) {
                    VDI__UNROLL for (int q = 0; q < VDI_TBLOCK; q++) {
                        y[e * VDI__BT_LANES + q] = 0;
                    }
                }
                for (e = 0; any && e < some; e++) {
                    VDI__UNROLL for (int q = 0; q < VDI_TBLOCK; q++) {
                        y[e * VDI__BT_LANES + q] = z[q][e];
                    }
                }
                continue;
            } else {
                for (int q = 0; q < VDI_TBLOCK; q++) {
                    const int64_t have = VDI__MAX((int64_t)0, VDI__MIN(some, count[w + q] - e0));
                    if (have) {
                        memcpy(stage + q * VDI__BT_STAGE,
                               (const VDI_T *)src + (w + q) * stride + e0,
                               (size_t)have * sizeof(VDI_T));
                    }
                    memset(stage + q * VDI__BT_STAGE + have, 0,
                           (size_t)(some - have) * sizeof(VDI_T));
                }
            }
            for (; e + VDI_TBLOCK <= some; e += VDI_TBLOCK)
                VDI_TRANSPOSE(x + e, (size_t)ldx, y + e * VDI__BT_LANES, (size_t)VDI__BT_LANES);
            for (; e < some; e++) {
                for (int q = 0; q < VDI_TBLOCK; q++)
                    y[e * VDI__BT_LANES + q] = x[q * ldx + e];
            }
        }
    }
}

/* The way back: dst[lane * stride + e] = (e < count[lane] ? src[e][lane] : 0) for the first `used`
   lanes, or with `scale` not 0 dst += scale * src where e < count[lane]. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_unpack)(const void *src, int64_t n, void *dst,
                                                    int64_t stride, const int64_t *count,
                                                    int64_t used, double scale) {
    VDI_T stage[VDI_TBLOCK * VDI__BT_STAGE];
    const VDI_V s = VDI_VSET1(VDI_C(scale));
    for (int64_t e0 = 0; e0 < n; e0 += VDI__BT_STAGE) {
        const int64_t some = VDI__MIN(n - e0, (int64_t)VDI__BT_STAGE);
        for (int w = 0; w < used; w += VDI_TBLOCK) {
            const VDI_T *x = (const VDI_T *)src + e0 * VDI__BT_LANES + w;
            VDI_T *y = stage;
            int64_t ldy = VDI__BT_STAGE, least = w + VDI_TBLOCK <= used ? some : 0, e = 0;
            for (int q = 0; q < VDI_TBLOCK; q++)
                least = VDI__MIN(least, count[w + q] - e0);
            if (least == some && scale == 0) {
                y = (VDI_T *)dst + w * stride + e0;
                ldy = stride;
            }
            for (; e + VDI_TBLOCK <= some; e += VDI_TBLOCK)
                VDI_TRANSPOSE(x + e * VDI__BT_LANES, (size_t)VDI__BT_LANES, y + e, (size_t)ldy);
            for (; e < some; e++) {
                for (int q = 0; q < VDI_TBLOCK; q++)
                    y[q * ldy + e] = x[e * VDI__BT_LANES + q];
            }
            if (y != stage) continue;
            for (int q = 0; q < VDI_TBLOCK && w + q < used; q++) {
                const int64_t have = VDI__MAX((int64_t)0, VDI__MIN(some, count[w + q] - e0));
                VDI_T *z = (VDI_T *)dst + (w + q) * stride + e0;
                const VDI_T *staged = stage + q * VDI__BT_STAGE;
                if (scale == 0) {
                    memcpy(z, staged, (size_t)have * sizeof(VDI_T));
                    memset(z + have, 0, (size_t)(some - have) * sizeof(VDI_T));
                    continue;
                }
                for (e = 0; e < have; e += VDI_W) {
                    const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(have - e, (int64_t)VDI_W));
                    VDI_VSTORET(z + e, tail,
                                VDI_VFMA(s, VDI_VLOADT(staged + e, tail), VDI_VLOADT(z + e, tail)));
                }
            }
        }
    }
}

/* Elementwise work on (d,d) blocks, out row-major. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_map)(vdi__bt_kind kind, bool rows, int64_t d,
                                                 const vdi__matrix *x, const vdi__matrix *y,
                                                 double scale, void *out) {
    const int64_t u = rows ? 1 : VDI__BT_LANES;
    const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(u, (int64_t)VDI_W));
    const VDI_V s = VDI_VSET1(VDI_C(scale));
    for (int w = 0; w < u; w += VDI_W) {
        for (int64_t i = 0; i < d; i++) {
            const VDI_T *p = (const VDI_T *)x->data + w + i * x->row;
            const VDI_T *q = (const VDI_T *)y->data + w + i * y->row;
            VDI_T *to = (VDI_T *)out + w + i * d * u;
            if (!rows && (kind == VDI__BT_SUM || kind == VDI__BT_SCALE)) {
                /* most calls, without a question for each element */
                for (int64_t j = 0; j < d; j++, p += x->column, q += y->column, to += u) {
                    VDI_V v = VDI_VLOAD(p);
                    if (kind == VDI__BT_SUM) v = VDI_VADD(v, VDI_VLOAD(q));
                    VDI_VSTORE(to, VDI_VMUL(s, v));
                }
                continue;
            }
            for (int64_t j = 0; j < d; j++, p += x->column, q += y->column, to += u) {
                const VDI_V a = VDI_VLOADT(p, tail);
                const VDI_V b =
                    kind <= VDI__BT_TWO ? VDI_VLOADOR(q, tail, VDI_VSET1(1)) : VDI_VZERO();
                VDI_V v = VDI_VZERO();
                switch (kind) {
                case VDI__BT_SUM: v = VDI_VMUL(s, VDI_VADD(a, b)); break;
                case VDI__BT_SCALE: v = VDI_VMUL(s, a); break;
                case VDI__BT_PRODUCT: v = VDI_VMUL(a, b); break;
                case VDI__BT_ROOT_ROWS: v = VDI_VMUL(a, VDI_VSQRT(b)); break;
                case VDI__BT_ROOT_COLUMNS:
                    /* an upper triangle, y the diagonal of 1/p: back to Cholesky's own columns */
                    if (j >= i) v = VDI_VDIV(j == i ? VDI_VSET1(1) : a, VDI_VSQRT(b));
                    break;
                case VDI__BT_ROOT_DIVIDE: v = VDI_VDIV(a, VDI_VSQRT(b)); break;
                case VDI__BT_UNIT: v = j < i ? a : VDI_VSET1(VDI_C(i == j)); break;
                case VDI__BT_HALF: /* upper triangle, half the diagonal */
                    if (j >= i) v = j == i ? VDI_VMUL(a, VDI_VSET1(VDI_C(0.5))) : a;
                    break;
                }
                VDI_VSTORET(to, tail, v);
            }
        }
    }
}

/* dst = sqrt(src) of d elements, which lie `step` reals apart in src */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_root)(bool rows, int64_t d, const void *src,
                                                  int64_t step, void *dst) {
    const int64_t u = rows ? 1 : VDI__BT_LANES;
    for (int64_t i = 0; i < d; i++) {
        const VDI_T *p = (const VDI_T *)src + i * step;
        VDI_T *to = (VDI_T *)dst + i * u;
        if (rows) *to = VDI_VFIRST(VDI_VSQRT(VDI_VSET1(*p)));
        for (int w = 0; !rows && w < u; w += VDI_W)
            VDI_VSTORE(to + w, VDI_VSQRT(VDI_VLOAD(p + w)));
    }
}

/* dst += scale * src */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_add)(int64_t n, double scale, const void *src,
                                                 void *dst) {
    const VDI_V s = VDI_VSET1(VDI_C(scale));
    for (int64_t i = 0; i < n; i += VDI_W) {
        const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(n - i, (int64_t)VDI_W));
        VDI_T *y = (VDI_T *)dst + i;
        VDI_VSTORET(y, tail,
                    VDI_VFMA(s, VDI_VLOADT((const VDI_T *)src + i, tail), VDI_VLOADT(y, tail)));
    }
}

/* One vector y (T,d) of one trial of small blocks through the factor, number by number, in the
 * order of vdi__bt_forward or vdi__bt_backward. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_forward)(int64_t d, int64_t T, const void *L_,
                                                     const void *N_, void *y_) {
    const VDI_T *L = (const VDI_T *)L_, *N = (const VDI_T *)N_; /* of this block, the last one */
    VDI_T *y = (VDI_T *)y_;
    for (int64_t t = 0; t < T; t++) {
        for (int64_t i = 0; i < d; i++) {
            VDI_V x = VDI_VSET1(y[i]);
            for (int64_t k = 0; t > 0 && k < d; k++)
                x = VDI_VFNMA(VDI_VSET1(N[k * d + i]), VDI_VSET1(y[k - d]), x);
            for (int64_t j = 0; j < i; j++)
                x = VDI_VFNMA(VDI_VSET1(L[j * d + i]), VDI_VSET1(y[j]), x);
            y[i] = VDI_VFIRST(x);
        }
        L += d * d;
        if (t > 0) N += d * d;
        y += d;
    }
}
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_backward)(bool roots, int64_t d, int64_t T,
                                                      const void *L_, const void *N_, void *y_) {
    for (int64_t t = T - 1; t >= 0; t--) {
        const VDI_T *L = (const VDI_T *)L_ + t * d * d, *N = (const VDI_T *)N_ + t * d * d;
        VDI_T *y = (VDI_T *)y_ + t * d;
        for (int64_t i = d - 1; i >= 0; i--) {
            const VDI_V r = VDI_VSET1(L[i * (d + 1)]);
            VDI_V x = VDI_VMUL(VDI_VSET1(y[i]), roots ? VDI_VSQRT(r) : r);
            for (int64_t k = 0; t + 1 < T && k < d; k++)
                x = VDI_VFNMA(VDI_VSET1(N[i * d + k]), VDI_VSET1(y[k + d]), x);
            for (int64_t j = d - 1; j > i; j--)
                x = VDI_VFNMA(VDI_VSET1(L[i * d + j]), VDI_VSET1(y[j]), x);
            y[i] = VDI_VFIRST(x);
        }
    }
}

/* y = J x for one trial of T blocks: y_t = D_t x_t + E_{t-1} x_{t-1} + E_t' x_{t+1} */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_matvec)(int64_t d, int64_t T, const void *D,
                                                    const void *E, const void *x, void *y) {
    for (int64_t t = 0; t < T; t++) {
        const VDI_T *xt = (const VDI_T *)x + t * d;
        const VDI_T *Dt = (const VDI_T *)D + t * d * d;
        const VDI_T *Et = (const VDI_T *)E + t * d * d;
        VDI_T *yt = (VDI_T *)y + t * d;
        for (int64_t j = 0; j < d; j += VDI_W) {
            const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(d - j, (int64_t)VDI_W));
            VDI_V sum = VDI_VZERO();
            for (int64_t i = 0; i < d; i++)
                sum = VDI_VFMA(VDI_VSET1(xt[i]), VDI_VLOADT(Dt + i * d + j, tail), sum);
            if (t + 1 < T) {
                for (int64_t i = 0; i < d; i++)
                    sum = VDI_VFMA(VDI_VSET1(xt[d + i]), VDI_VLOADT(Et + i * d + j, tail), sum);
            }
            VDI_VSTORET(yt + j, tail, sum);
        }
        if (t > 0) {
            for (int64_t i = 0; i < d; i++) {
                VDI_V sum = VDI_VZERO();
                for (int64_t j = 0; j < d; j += VDI_W) {
                    const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(d - j, (int64_t)VDI_W));
                    sum = VDI_VFMA(VDI_VLOADT(Et - d * d + i * d + j, tail),
                                   VDI_VLOADT(xt - d + j, tail), sum);
                }
                yt[i] += VDI_VHADD(sum);
            }
        }
    }
}

/* sum over pivots of log(1/p) per lane, as a product of mantissas and a sum of exponents: one
 * logarithm at the end. sums: (lanes) */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_logs)(const void *L, int64_t d, int64_t T,
                                                  double *sums) {
    const VDI_I one = VDI_ISET1((VDI_IT)VDI_EMAX << VDI_MANT);
    const VDI_I mask = VDI_ISET1(((VDI_IT)1 << VDI_MANT) - 1);
    for (int w = 0; w < VDI__BT_LANES; w += VDI_W) {
        VDI_V product = VDI_VSET1(1);
        VDI_I exponents = VDI_ISET1(0);
        VDI_T mantissa[VDI_W];
        VDI_IT power[VDI_W];
        for (int64_t i = 0; i < T * d; i++) {
            const VDI_T *p =
                (const VDI_T *)L + w + ((i / d) * d * d + (i % d) * (d + 1)) * VDI__BT_LANES;
            VDI_I bits = VDI_VBITS(VDI_VLOAD(p));
            exponents =
                VDI_IADD(exponents, VDI_ISUB(VDI_ISHR(bits, VDI_MANT), VDI_ISET1(VDI_EMAX)));
            product = VDI_VMUL(product, VDI_IBITS(VDI_IOR(VDI_IAND(bits, mask), one)));
            if ((i & 31) == 31 || i + 1 == T * d) {
                bits = VDI_VBITS(product);
                exponents =
                    VDI_IADD(exponents, VDI_ISUB(VDI_ISHR(bits, VDI_MANT), VDI_ISET1(VDI_EMAX)));
                product = VDI_IBITS(VDI_IOR(VDI_IAND(bits, mask), one));
            }
        }
        VDI_VSTORE(mantissa, product);
        product = VDI_IBITS(exponents);
        memcpy(power, &product, sizeof power);
        for (int v = 0; v < VDI_W; v++)
            sums[w + v] = log((double)mantissa[v]) + (double)power[v] * 0.69314718055994530942;
    }
}
#undef VDI__BT_LANES
#undef VDI__BT_STAGE
