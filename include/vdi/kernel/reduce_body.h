/* kernel/reduce_body.h - sums and maxima; one pass
 *
 * Every sum has VDI__PARTIALS partial sums, element i in partial i mod VDI__PARTIALS, whatever the
 * vector length: VDI__GROUPS vectors in flight. They are added by halves: j and j + 32, then j and
 * j + 16 ... A tail adds zeros, which changes no bit, and groups that hold nothing but zeros are
 * skipped for the same reason.
 */
#define VDI__PARTIALS (256 / sizeof(VDI_T))
#define VDI__GROUPS (256 / (int)sizeof(VDI_T) / VDI_W)

VDI_LOCAL VDI_T VDI_PN(vdi__reduce_groups)(VDI_V *acc, size_t n) {
    for (int h = VDI__GROUPS / 2; h >= 1; h /= 2) {
        if (n > (size_t)h * VDI_W) {
            for (int g = 0; g < h; g++)
                acc[g] = VDI_VADD(acc[g], acc[g + h]);
        }
    }
    return VDI_VHADD(acc[0]);
}

VDI_KERNEL double VDI_PN(vdi__kernel_sum)(size_t n, const void *x_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_V acc[VDI__GROUPS];
    size_t i = 0;
    for (int g = 0; g < VDI__GROUPS; g++)
        acc[g] = VDI_VZERO();
    for (; n - i >= VDI__PARTIALS; i += VDI__PARTIALS) {
        for (int g = 0; g < VDI__GROUPS; g++)
            acc[g] = VDI_VADD(acc[g], VDI_VLOAD(x + i + g * VDI_W));
    }
    for (int g = 0; i < n; g++, i += VDI_W) {
        if (n - i >= VDI_W) {
            acc[g] = VDI_VADD(acc[g], VDI_VLOAD(x + i));
        } else {
            acc[g] = VDI_VADD(acc[g], VDI_VLOADT(x + i, VDI_VTAIL(n - i)));
            break;
        }
    }
    return (double)VDI_PN(vdi__reduce_groups)(acc, n);
}

VDI_KERNEL double VDI_PN(vdi__kernel_dot)(size_t n, const void *x_, const void *y_) {
    const VDI_T *x = (const VDI_T *)x_, *y = (const VDI_T *)y_;
    VDI_V acc[VDI__GROUPS];
    size_t i = 0;
    for (int g = 0; g < VDI__GROUPS; g++)
        acc[g] = VDI_VZERO();
    for (; n - i >= VDI__PARTIALS; i += VDI__PARTIALS) {
        for (int g = 0; g < VDI__GROUPS; g++)
            acc[g] = VDI_VFMA(VDI_VLOAD(x + i + g * VDI_W), VDI_VLOAD(y + i + g * VDI_W), acc[g]);
    }
    for (int g = 0; i < n; g++, i += VDI_W) {
        if (n - i >= VDI_W) {
            acc[g] = VDI_VFMA(VDI_VLOAD(x + i), VDI_VLOAD(y + i), acc[g]);
        } else {
            const VDI_TAIL t = VDI_VTAIL(n - i);
            acc[g] = VDI_VFMA(VDI_VLOADT(x + i, t), VDI_VLOADT(y + i, t), acc[g]);
            break;
        }
    }
    return (double)VDI_PN(vdi__reduce_groups)(acc, n);
}

/* The largest of sign * x, sign = 1 or -1; NaN if any is NaN. The comparison passes NaN by, so it
 * is looked for apart. */
VDI_SHARED VDI_T VDI_PN(vdi__extreme)(size_t n, const VDI_T *x, VDI_T sign) {
    const VDI_V s = VDI_VSET1(sign), low = VDI_VSET1(-(VDI_T)INFINITY);
    VDI_V a = low;
    VDI_V b = low;
    VDI_V c = low;
    VDI_V d = low;
    VDI_V bad = VDI_VZERO();
    size_t i = 0;
    for (; n - i >= 4 * VDI_W; i += 4 * VDI_W) {
        const VDI_V x0 = VDI_VMUL(s, VDI_VLOAD(x + i)), x1 = VDI_VMUL(s, VDI_VLOAD(x + i + VDI_W));
        const VDI_V x2 = VDI_VMUL(s, VDI_VLOAD(x + i + 2 * VDI_W));
        const VDI_V x3 = VDI_VMUL(s, VDI_VLOAD(x + i + 3 * VDI_W));
        a = VDI_VMAX(x0, a);
        b = VDI_VMAX(x1, b);
        c = VDI_VMAX(x2, c);
        d = VDI_VMAX(x3, d);
        bad = VDI_VSEL(VDI_MOR(VDI_MOR(VDI_VNE(x0, x0), VDI_VNE(x1, x1)),
                               VDI_MOR(VDI_VNE(x2, x2), VDI_VNE(x3, x3))),
                       s, bad);
    }
    for (; i < n; i += VDI_W) {
        const VDI_V v = n - i >= VDI_W
                            ? VDI_VMUL(s, VDI_VLOAD(x + i))
                            : VDI_VMUL(s, VDI_VLOADOR(x + i, VDI_VTAIL(n - i), VDI_VMUL(s, low)));
        a = VDI_VMAX(v, a);
        bad = VDI_VSEL(VDI_VNE(v, v), s, bad);
        if (n - i < VDI_W) break;
    }
    if (VDI_MANY(VDI_VNE(bad, VDI_VZERO()))) return (VDI_T)NAN;
    return VDI_VHMAX(VDI_VMAX(VDI_VMAX(a, b), VDI_VMAX(c, d)));
}

VDI_KERNEL double VDI_PN(vdi__kernel_largest)(size_t n, const void *x) {
    return (double)VDI_PN(vdi__extreme)(n, (const VDI_T *)x, (VDI_T)1);
}
VDI_KERNEL double VDI_PN(vdi__kernel_smallest)(size_t n, const void *x) {
    return -(double)VDI_PN(vdi__extreme)(n, (const VDI_T *)x, (VDI_T)-1);
}

VDI_KERNEL size_t VDI_PN(vdi__kernel_nonfinite)(size_t n, const void *x_) {
    const VDI_T *x = (const VDI_T *)x_;
    size_t bad = 0;
    for (size_t i = 0; i < n; i += 4 * VDI_W) {
        const size_t k = n - i < 4 * VDI_W ? n - i : 4 * VDI_W;
        /* x - x is 0, or NaN if x is not finite; sums of that keep the NaN */
        VDI_V s = VDI_VZERO();
        for (size_t j = 0; j < k; j += VDI_W) {
            const VDI_V v =
                k - j >= VDI_W ? VDI_VLOAD(x + i + j) : VDI_VLOADT(x + i + j, VDI_VTAIL(k - j));
            s = VDI_VADD(s, VDI_VSUB(v, v));
        }
        if (VDI_MANY(VDI_VNE(s, s))) {
            for (size_t j = 0; j < k; j++)
                bad += !(x[i + j] - x[i + j] == 0);
        }
    }
    return bad;
}

VDI_KERNEL void VDI_PN(vdi__kernel_sum_rows)(size_t rows, size_t cols, const void *x_, size_t ldx,
                                             int accumulate, void *y_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    size_t j = 0;
    for (; cols - j >= 4 * VDI_W; j += 4 * VDI_W) {
        VDI_V a[4];
        VDI__UNROLL for (int g = 0; g < 4; g++) {
            a[g] = accumulate ? VDI_VLOAD(y + j + g * VDI_W) : VDI_VZERO();
        }
        for (size_t r = 0; r < rows; r++) {
            VDI__UNROLL for (int g = 0; g < 4; g++) {
                a[g] = VDI_VADD(a[g], VDI_VLOAD(x + r * ldx + j + g * VDI_W));
            }
        }
        VDI__UNROLL for (int g = 0; g < 4; g++) VDI_VSTORE(y + j + g * VDI_W, a[g]);
    }
    for (; j < cols; j += VDI_W) {
        const VDI_TAIL t = VDI_VTAIL(cols - j < VDI_W ? cols - j : VDI_W);
        VDI_V a = accumulate ? VDI_VLOADT(y + j, t) : VDI_VZERO();
        for (size_t r = 0; r < rows; r++)
            a = VDI_VADD(a, VDI_VLOADT(x + r * ldx + j, t));
        VDI_VSTORET(y + j, t, a);
        if (cols - j < VDI_W) break;
    }
}

/* Sum of exp(x - m) over one row, in the order of every sum; the exponentials go to y unless it is
   NULL. Lanes behind the end take part as exp(0) and are cleared: exp(-inf) would take longer. */
VDI_SHARED VDI_T VDI_PN(vdi__row_exp)(size_t n, const VDI_T *x, VDI_T m, VDI_T *y) {
    const VDI_V vm = VDI_VSET1(m);
    VDI_V acc[VDI__GROUPS];
    for (int g = 0; g < VDI__GROUPS; g++)
        acc[g] = VDI_VZERO();
    for (size_t i = 0; i < n; i += VDI_W) {
        const bool whole = n - i >= VDI_W;
        const int g = (int)(i / VDI_W % VDI__GROUPS);
        VDI_V e = whole ? VDI_VLOAD(x + i) : VDI_VLOADOR(x + i, VDI_VTAIL(n - i), vm);
        e = VDI_PN(vdi__exp)(VDI_VSUB(e, vm));
        if (!whole) {
            VDI_T end[VDI_W] = {0};
            VDI_VSTORET(end, VDI_VTAIL(n - i), e);
            if (y) memcpy(y + i, end, (n - i) * sizeof *end);
            e = VDI_VLOAD(end);
        } else if (y) {
            VDI_VSTORE(y + i, e);
        }
        acc[g] = VDI_VADD(acc[g], e);
        if (!whole) break;
    }
    return VDI_PN(vdi__reduce_groups)(acc, n);
}

/* The shift of a row is its maximum, or 0 where that is infinite: then exp(x - shift) is 0 or inf,
 * as it should be. */
VDI_KERNEL void VDI_PN(vdi__kernel_softmax)(vdi__softmax_kind kind, size_t rows, size_t cols,
                                            const void *x_, size_t ldx, void *y_, size_t ldy) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        const VDI_T most = VDI_LENT(vdi__extreme)(cols, x, (VDI_T)1);
        const VDI_T m = most - most == 0 || most != most ? most : (VDI_T)0;
        const VDI_T sum = VDI_PN(vdi__row_exp)(cols, x, m, kind == VDI__SOFTMAX ? y : NULL);
        VDI_T log_sum = 0;
        const VDI_V vm = VDI_VSET1(m);
        if (kind != VDI__SOFTMAX)
            VDI_VSTORET(&log_sum, VDI_VTAIL(1), VDI_PN(vdi__log_call)(VDI_VSET1(sum)));
        if (kind == VDI__LOGSUMEXP) {
            *y = m + log_sum;
            continue;
        }
        for (size_t i = 0; i < cols; i += VDI_W) {
            const VDI_TAIL t = VDI_VTAIL(cols - i < VDI_W ? cols - i : VDI_W);
            const VDI_V v = kind == VDI__SOFTMAX
                                ? VDI_VDIV(VDI_VLOADT(y + i, t), VDI_VSET1(sum))
                                : VDI_VSUB(VDI_VSUB(VDI_VLOADT(x + i, t), vm), VDI_VSET1(log_sum));
            VDI_VSTORET(y + i, t, v);
        }
    }
}
#undef VDI__PARTIALS
#undef VDI__GROUPS
