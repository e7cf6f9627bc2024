/* kernel/gemm_body.h - the matrix product of one pass
 *
 * A register tile of MR rows x NV vectors walks over k: per step NV loads of B, MR broadcasts of A,
 * MR * NV FMAs. Around it:
 *   blocks of KC steps of k (C is reloaded, so the chain goes on),
 *   blocks of MC rows, so that a part of A is in a near cache when the next panel needs it,
 *   panels of NV vectors of columns. B is read in place where that is fast, else a panel is copied
 *   to the stack: when it is stored transposed, when its last vector is cut and masked loads cost,
 *   when its rows lie far apart.
 * A is always read in place, by broadcasts, so that its transpose costs nothing. A product with few
 * columns is computed turned over, with the lanes across the rows; one with a single row runs over
 * wide panels. docs/guide/kernels.md has
 * the measurements.
 */
#if VDI_REGISTERS == 32
#define VDI__MR(nv) ((nv) == 4 ? 6 : 8)
#define VDI__NV 4
#define VDI__KC 240
#elif VDI__ISA == 3
#define VDI__MR(nv) 6
#define VDI__NV 2
#define VDI__KC 320
#else
#define VDI__MR(nv) 4
#define VDI__NV 2
#define VDI__KC 320
#endif
#define VDI__NR (VDI__NV * VDI_W)
#define VDI__MC 1024
/* k-block of a product with few rows: its panel is used once, and should not leave the first-level
 * cache before that */
#define VDI__KC_FEW 64
/* Are the last vectors of B loaded through a mask? In a full tile (no register left for the mask on
 * AVX2), and in a small one. */
#define VDI__MASK_FULL (VDI__ISA == 4)
#define VDI__MASK_SMALL (VDI__ISA == 4 || VDI__ISA == 3)

#ifndef VDI__PREFETCH
#if VDI__GNU && !defined(__TINYC__)
#define VDI__PREFETCH(p) __builtin_prefetch(p)
#else
#define VDI__PREFETCH(p) ((void)0)
#endif
#endif
/* mr, nv and masked are constants after inlining, and acc stays in registers. Rows beyond t->rows
   repeat the first one and are not stored. */
VDI_LOCAL void VDI_PN(vdi__tile_run)(size_t mr, size_t nv, bool masked, const vdi__tile *t) {
    const VDI_T *a[8];
    const VDI_T *b = (const VDI_T *)t->b, *init = (const VDI_T *)t->init;
    VDI_T *c = (VDI_T *)t->c;
    const size_t ars = t->ars;
    const size_t acs = t->acs;
    const size_t ldb = t->ldb;
    const size_t ldc = t->ldc;
    const size_t last = (nv - 1) * VDI_W;
    const size_t rows = t->rows;
    const VDI_TAIL tail = VDI_VTAIL(t->cols - last);
    VDI_V acc[VDI_REGISTERS], v[16];
    size_t offset = 0;
    VDI__UNROLL for (size_t i = 0; i < mr; i++) {
        a[i] = (const VDI_T *)t->a + (i < rows ? i * ars : 0);
    }
    VDI__UNROLL for (size_t i = 0; i < mr * nv; i++) acc[i] = VDI_VZERO();
    if (init) {
        VDI__UNROLL for (size_t i = 0; i < mr; i++) {
            const VDI_T *from = init + (i < rows ? i * t->ldinit : 0);
            VDI__UNROLL for (size_t j = 0; j + 1 < nv; j++) {
                acc[i * nv + j] = VDI_VLOAD(from + j * VDI_W);
            }
            acc[i * nv + nv - 1] = VDI_VLOADT(from + last, tail);
        }
    }
    if (mr > 4 && t->ahead) { /* the rows of C that the next tile will load */
        for (size_t i = mr; i < 2 * mr; i++) {
            VDI__UNROLL for (size_t j = 0; j < nv; j++) VDI__PREFETCH(c + i * ldc + j * VDI_W);
        }
    }
    for (size_t p = t->k; p > 0; p--) {
        VDI__UNROLL for (size_t j = 0; j < nv; j++) {
            v[j] = masked && j + 1 == nv ? VDI_VLOADT(b + last, tail) : VDI_VLOAD(b + j * VDI_W);
        }
        VDI__UNROLL for (size_t i = 0; i < mr; i++) {
            const VDI_V x = VDI_VSET1(a[i][offset]);
            VDI__UNROLL for (size_t j = 0; j < nv; j++) {
                acc[i * nv + j] = VDI_VFMA(x, v[j], acc[i * nv + j]);
            }
        }
        offset += acs;
        b += ldb;
    }
    VDI__UNROLL for (size_t i = 0; i < mr; i++) {
        if (i == rows) break;
        VDI__UNROLL for (size_t j = 0; j + 1 < nv; j++)
            VDI_VSTORE(c + i * ldc + j * VDI_W, acc[i * nv + j]);
        VDI_VSTORET(c + i * ldc + last, tail, acc[i * nv + nv - 1]);
    }
}

#define VDI__TILE(mr, nv, masked)                                       \
    VDI_KERNEL void VDI_PN(vdi__tile_##mr##x##nv)(const vdi__tile *t) { \
        VDI_PN(vdi__tile_run)(mr, nv, masked, t);                       \
    }
VDI__TILE(1, 1, VDI__MASK_SMALL)
VDI__TILE(1, 2, VDI__MASK_SMALL)
VDI__TILE(1, 4, VDI__MASK_SMALL)
VDI__TILE(4, 1, VDI__MASK_SMALL)
VDI__TILE(4, 2, VDI__MASK_SMALL)
#if VDI_REGISTERS == 32
VDI__TILE(1, 3, VDI__MASK_SMALL)
VDI__TILE(1, 8, VDI__MASK_SMALL)
VDI__TILE(1, 16, VDI__MASK_SMALL)
VDI__TILE(4, 3, VDI__MASK_SMALL)
VDI__TILE(4, 4, VDI__MASK_SMALL)
VDI__TILE(8, 1, VDI__MASK_FULL)
VDI__TILE(8, 2, VDI__MASK_FULL)
VDI__TILE(8, 3, VDI__MASK_FULL)
VDI__TILE(6, 4, VDI__MASK_FULL)
#elif VDI__ISA == 3
VDI__TILE(1, 8, VDI__MASK_SMALL)
VDI__TILE(6, 1, VDI__MASK_FULL)
VDI__TILE(6, 2, VDI__MASK_FULL)
#endif
#undef VDI__TILE

/* by rows (more than 4, 2 to 4, 1) and vectors */
static vdi__tile_fn *const VDI_PN(vdi__tiles)[3][VDI__NV] = {
#define VDI__X(r, v) VDI_PN(vdi__tile_##r##x##v)
#if VDI_REGISTERS == 32
    {VDI__X(8, 1), VDI__X(8, 2), VDI__X(8, 3), VDI__X(6, 4)},
    {VDI__X(4, 1), VDI__X(4, 2), VDI__X(4, 3), VDI__X(4, 4)},
    {VDI__X(1, 1), VDI__X(1, 2), VDI__X(1, 3), VDI__X(1, 4)},
#elif VDI__ISA == 3
    {VDI__X(6, 1), VDI__X(6, 2)},
    {VDI__X(4, 1), VDI__X(4, 2)},
    {VDI__X(1, 1), VDI__X(1, 2)},
#else
    {VDI__X(4, 1), VDI__X(4, 2)},
    {VDI__X(4, 1), VDI__X(4, 2)},
    {VDI__X(1, 1), VDI__X(1, 2)},
#endif
#undef VDI__X
};
VDI_LOCAL vdi__tile_fn *VDI_PN(vdi__tile_for)(size_t rows, size_t nv) {
    return VDI_PN(vdi__tiles)[rows > 4 ? 0 : rows > 1 ? 1 : 2][nv - 1];
}

/* y = act(x) over a block of finished rows, while they are in the cache */
VDI_KERNEL void VDI_PN(vdi__act_rows)(vdi_act act, double p, size_t rows, size_t cols, VDI_T *c,
                                      size_t ldc) {
    const VDI_V zero = VDI_VZERO(), slope = VDI_VSET1(VDI_C(p == 0 ? 0.2 : p));
    if (ldc == cols) {
        cols *= rows;
        rows = 1;
    }
    for (size_t i = 0; i < rows; i++, c += ldc) {
        switch (act) {
        case VDI_ACT_NONE: break;
        case VDI_ACT_TANH: VDI_PN(vdi__unary_tanh)(cols, 0, c, c); break;
        case VDI_ACT_SIGMOID: VDI_PN(vdi__unary_sigmoid)(cols, 0, c, c); break;
        case VDI_ACT_SOFTPLUS: VDI_PN(vdi__unary_softplus)(cols, 0, c, c); break;
        case VDI_ACT_EXP: VDI_PN(vdi__unary_exp)(cols, 0, c, c); break;
        case VDI_ACT_RELU:
        case VDI_ACT_LEAKY_RELU:
            for (size_t j = 0; j < cols; j += VDI_W) {
                const bool full = cols - j >= VDI_W;
                const VDI_TAIL tail = VDI_VTAIL(full ? VDI_W : cols - j);
                const VDI_V x = full ? VDI_VLOAD(c + j) : VDI_VLOADT(c + j, tail);
                const VDI_V y = act == VDI_ACT_RELU
                                    ? VDI_VMAX(zero, x)
                                    : VDI_VSEL(VDI_VGT(x, zero), x, VDI_VMUL(x, slope));
                if (full)
                    VDI_VSTORE(c + j, y);
                else
                    VDI_VSTORET(c + j, tail, y);
            }
            break;
        }
    }
}

/* Copy a panel of B: `steps` of k by `cols` columns, filled up with zeros to `width`. With `turned`
 * the columns are rows in memory. */
VDI_KERNEL void VDI_PN(vdi__pack)(bool turned, size_t steps, size_t cols, const VDI_T *b,
                                  size_t ldb, VDI_T *to, size_t width) {
    if (!turned) {
        for (size_t p = 0; p < steps; p++, b += ldb, to += width) {
            for (size_t j = 0; j < width; j += VDI_W) {
                const size_t left = cols > j ? cols - j : 0;
                VDI_VSTORE(to + j,
                           left >= VDI_W ? VDI_VLOAD(b + j) : VDI_VLOADT(b + j, VDI_VTAIL(left)));
            }
        }
        return;
    }
    const size_t whole_cols = cols / VDI_TBLOCK * VDI_TBLOCK;
    const size_t whole_steps = steps / VDI_TBLOCK * VDI_TBLOCK;
    /* 64 steps at a time: that part of the panel stays in the first-level cache while its lines
     * fill up column by column */
    for (size_t p0 = 0; p0 < whole_steps; p0 += 64) {
        const size_t p1 = VDI__MIN(whole_steps, p0 + 64);
        for (size_t j = 0; j < whole_cols; j += VDI_TBLOCK) {
            for (size_t p = p0; p < p1; p += VDI_TBLOCK)
                VDI_TRANSPOSE(b + j * ldb + p, ldb, to + p * width + j, width);
        }
    }
    for (size_t p = whole_steps; p < steps; p++) {
        for (size_t j = 0; j < whole_cols; j++)
            to[p * width + j] = b[j * ldb + p];
    }
    for (size_t j = whole_cols; j < cols; j++) {
        for (size_t p = 0; p < steps; p++)
            to[p * width + j] = b[j * ldb + p];
    }
    for (size_t j = cols; j < width; j++) {
        for (size_t p = 0; p < steps; p++)
            to[p * width + j] = 0;
    }
}

/* Where a buffer on the stack begins a cache line. */
VDI_LOCAL VDI_T *VDI_PN(vdi__aligned)(VDI_T *p) {
    return p + ((64 - ((uintptr_t)p & 63)) & 63) / sizeof(VDI_T);
}

/* At most four columns: C' = B' A', a tile of n rows whose lanes are rows of C. */
VDI__NOINLINE VDI_KERNEL void VDI_PN(vdi__gemm_slim)(const vdi__gemm_args *g) {
    VDI_T space[VDI__KC_FEW * VDI__NR + 64 / sizeof(VDI_T)],
        out[4 * VDI__NR], *const panel = VDI_PN(vdi__aligned)(space);
    const VDI_T *a = (const VDI_T *)g->a, *b = (const VDI_T *)g->b, *bias = (const VDI_T *)g->bias;
    VDI_T *c = (VDI_T *)g->c;
    const bool ta = (g->flags & VDI_GEMM_TA) != 0;
    const bool tb = (g->flags & VDI_GEMM_TB) != 0;
    const bool accumulate = (g->flags & VDI_GEMM_ACC) != 0;
    vdi__tile t;
    t.c = out;
    t.init = out;
    t.ldc = t.ldinit = VDI__NR;
    t.ahead = false;
    t.ars = tb ? g->ldb : 1;
    t.acs = tb ? 1 : g->ldb;
    t.rows = g->n;
    for (size_t i = 0; i < g->m; i += VDI__NR, c += VDI__NR * g->ldc) {
        const size_t cols = VDI__MIN(g->m - i, VDI__NR);
        const size_t nv = (cols + VDI_W - 1) / VDI_W;
        const size_t tail = cols - (nv - 1) * VDI_W;
        vdi__tile_fn *run = VDI_PN(vdi__tile_for)(g->n, nv);
        t.cols = cols;
        for (size_t q = 0; q < g->n; q++) {
            for (size_t r = 0; r < cols; r++)
                out[q * VDI__NR + r] = accumulate ? c[r * g->ldc + q] : bias ? bias[q] : 0;
        }
        for (size_t p = 0; p < g->k; p += t.k) {
            t.k = VDI__MIN(g->k - p, VDI__KC_FEW);
            t.a = b + p * t.acs;
            if (ta && (VDI__MASK_SMALL || tail == VDI_W)) {
                t.b = a + p * g->lda + i;
                t.ldb = g->lda;
            } else {
                VDI_PN(vdi__pack)(!ta, t.k, cols, ta ? a + p * g->lda + i : a + i * g->lda + p,
                                  g->lda, panel, nv * VDI_W);
                t.b = panel;
                t.ldb = nv * VDI_W;
            }
            run(&t);
        }
        if (g->act != VDI_ACT_NONE)
            VDI_PN(vdi__act_rows)(g->act, g->act_param, g->n, cols, out, VDI__NR);
        for (size_t r = 0; r < cols; r++) {
            for (size_t q = 0; q < g->n; q++)
                c[r * g->ldc + q] = out[q * VDI__NR + r];
        }
    }
}

/* One row and B as it lies: wide panels, since few chains would wait for each other. Returns the
 * columns done. */
VDI_KERNEL size_t VDI_PN(vdi__gemm_row)(const vdi__gemm_args *g) {
    const void *from = g->flags & VDI_GEMM_ACC ? g->c : g->bias;
    size_t done = 0;
    vdi__tile t;
    t.a = g->a;
    t.ahead = false;
    t.ars = 0;
    t.acs = g->flags & VDI_GEMM_TA ? g->lda : 1;
    t.ldb = g->ldb;
    t.k = g->k;
    t.rows = 1;
    t.ldc = t.ldinit = 0;
    while (done < g->n) {
        const size_t left = g->n - done;
        const size_t whole = left / VDI_W;
        const size_t vectors = whole + (VDI__MASK_SMALL && left % VDI_W != 0);
        vdi__tile_fn *run;
        size_t nv;
        if (!vectors) break;
#if VDI_REGISTERS == 32
        if (vectors >= 16) {
            nv = 16;
            run = VDI_PN(vdi__tile_1x16);
        } else
#endif
#if VDI_REGISTERS == 32 || VDI__ISA == 3
            if (vectors >= 8) {
            nv = 8;
            run = VDI_PN(vdi__tile_1x8);
        } else
#endif
            if (vectors >= 4) {
            nv = 4;
            run = VDI_PN(vdi__tile_1x4);
        } else {
            nv = VDI__MIN(vectors, VDI__NV);
            run = VDI_PN(vdi__tile_for)(1, nv);
        }
        t.cols = VDI__MIN(left, nv * VDI_W);
        t.b = (const VDI_T *)g->b + done;
        t.c = (VDI_T *)g->c + done;
        t.init = from ? (const VDI_T *)from + done : NULL;
        run(&t);
        done += t.cols;
    }
    if (g->act != VDI_ACT_NONE)
        VDI_PN(vdi__act_rows)(g->act, g->act_param, 1, done, (VDI_T *)g->c, done);
    return done;
}

/* The general case, for the columns from `start` on. */
VDI__NOINLINE VDI_KERNEL void VDI_PN(vdi__gemm_blocks)(const vdi__gemm_args *g, size_t start) {
    const bool ta = (g->flags & VDI_GEMM_TA) != 0;
    const bool tb = (g->flags & VDI_GEMM_TB) != 0;
    const bool accumulate = (g->flags & VDI_GEMM_ACC) != 0;
    const VDI_T *bias = accumulate ? NULL : (const VDI_T *)g->bias;
    const size_t ars = ta ? 1 : g->lda, acs = ta ? g->lda : 1;
    VDI_T space[VDI__KC * VDI__NR + 64 / sizeof(VDI_T)], *const panel = VDI_PN(vdi__aligned)(space);
    vdi__tile t;
    t.ars = ars;
    t.acs = acs;
    t.ldc = g->ldc;
    t.ahead = g->m * g->ldc * sizeof(VDI_T) > (size_t)1 << 20;
    const size_t kc = tb && g->m <= 8 ? VDI__KC_FEW : VDI__KC;
    size_t p = 0;
    do {
        const bool first = p == 0, last = g->k - p <= kc;
        t.k = VDI__MIN(g->k - p, kc);
        for (size_t i0 = 0; i0 < g->m; i0 += VDI__MC) {
            const size_t i1 = VDI__MIN(g->m, i0 + VDI__MC);
            const bool far = g->ldb * sizeof(VDI_T) >= 2048 && i1 - i0 >= 32;
            size_t j = start, left = (g->n - start + VDI_W - 1) / VDI_W;
            while (left > 0) {
                /* the last two panels share what is left, since a narrow one is slow */
                const size_t nv = left <= VDI__NV      ? left
                                  : left < 2 * VDI__NV ? (left + 1) / 2
                                                       : VDI__NV;
                const size_t cols = VDI__MIN(g->n - j, nv * VDI_W);
                const VDI_T *b = (const VDI_T *)g->b + (tb ? j * g->ldb + p : p * g->ldb + j);
                const bool cut =
                    cols < nv * VDI_W && !(VDI__MASK_FULL || (VDI__MASK_SMALL && i1 - i0 <= 4));
                t.b = b;
                t.ldb = g->ldb;
                t.cols = cols;
                if (tb || cut || far) {
                    VDI_PN(vdi__pack)(tb, t.k, cols, b, g->ldb, panel, nv * VDI_W);
                    t.b = panel;
                    t.ldb = nv * VDI_W;
                }
                for (size_t i = i0; i < i1; i += t.rows) {
                    VDI_T *c = (VDI_T *)g->c + i * g->ldc + j;
                    t.rows = VDI__MIN(i1 - i, VDI__MR(nv));
                    /* 4 and 1 or 2 cost less than a tile of 8, two tiles of 4 less than one of 6
                     * and one for 2 */
                    if (VDI__MR(nv) == 8 ? t.rows == 5 || t.rows == 6 : i1 - i == 8) t.rows = 4;
                    t.a = (const VDI_T *)g->a + i * ars + p * acs;
                    t.c = c;
                    t.init = !first || accumulate ? c : bias ? bias + j : NULL;
                    t.ldinit = !first || accumulate ? g->ldc : 0;
                    VDI_PN(vdi__tile_for)(t.rows, nv)(&t);
                    if (last && g->act != VDI_ACT_NONE)
                        VDI_PN(vdi__act_rows)(g->act, g->act_param, t.rows, cols, c, g->ldc);
                }
                j += cols;
                left -= nv;
            }
        }
        p += kc;
    } while (p < g->k);
}

VDI_KERNEL void VDI_PN(vdi__kernel_gemm)(const vdi__gemm_args *g) {
    size_t done = 0;
    if (g->m == 0 || g->n == 0) return;
    if (g->n <= VDI__MIN(4, VDI_W / 4) && g->m >= VDI_W) {
        VDI_PN(vdi__gemm_slim)(g);
        return;
    }
    if (g->m == 1 && !(g->flags & VDI_GEMM_TB)) done = VDI_PN(vdi__gemm_row)(g);
    if (done < g->n) VDI_PN(vdi__gemm_blocks)(g, done);
}

VDI_KERNEL void VDI_PN(vdi__kernel_act_grad)(vdi_act act, double p, size_t n, const void *y,
                                             const void *dy, void *dz) {
    const VDI_V zero = VDI_VZERO();
    const VDI_V one = VDI_VSET1(VDI_C(1));
    const VDI_V slope = VDI_VSET1(VDI_C(p == 0 ? 0.2 : p));
    VDI_T decay[256]; /* softplus: 1 - exp(-y) */
    for (size_t start = 0; start < n; start += VDI__COUNT(decay)) {
        const VDI_T *from = (const VDI_T *)y + start, *d = (const VDI_T *)dy + start;
        VDI_T *to = (VDI_T *)dz + start;
        const size_t count = VDI__MIN(n - start, VDI__COUNT(decay));
        if (act == VDI_ACT_SOFTPLUS) {
            for (size_t i = 0; i < count; i++)
                decay[i] = -from[i];
            VDI_PN(vdi__unary_expm1)(count, 0, decay, decay);
        }
        for (size_t i = 0; i < count; i += VDI_W) {
            const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(count - i, VDI_W));
            const VDI_V v = VDI_VLOADT(from + i, tail);
            VDI_V r = VDI_VLOADT(d + i, tail);
            switch (act) {
            case VDI_ACT_NONE: break;
            case VDI_ACT_RELU: r = VDI_VSEL(VDI_VGT(v, zero), r, zero); break;
            case VDI_ACT_LEAKY_RELU: r = VDI_VSEL(VDI_VGT(v, zero), r, VDI_VMUL(r, slope)); break;
            case VDI_ACT_TANH: r = VDI_VMUL(r, VDI_VFNMA(v, v, one)); break;
            case VDI_ACT_SIGMOID: r = VDI_VMUL(r, VDI_VFNMA(v, v, v)); break;
            case VDI_ACT_SOFTPLUS: r = VDI_VMUL(r, VDI_VNEG(VDI_VLOADT(decay + i, tail))); break;
            case VDI_ACT_EXP: r = VDI_VMUL(r, v); break;
            }
            VDI_VSTORET(to + i, tail, r);
        }
    }
}
#undef VDI__MR
#undef VDI__NV
#undef VDI__NR
#undef VDI__KC
#undef VDI__KC_FEW
#undef VDI__MC
#undef VDI__MASK_FULL
#undef VDI__MASK_SMALL
