/* kernel/gemm_body.h - the register tiles of the matrix product, and what goes with them; one pass
 *
 * A tile of MR rows x NV vectors walks over k: per step NV loads of B, MR broadcasts of A, MR * NV
 * FMAs. gemm_blocks.h cuts a product into tiles.
 */
/* Are the last vectors of B loaded through a mask? In a full tile (no register left for the mask on
 * AVX2), and in a small one. */
#define VDI__MASK_FULL (VDI_MASKS && VDI_REGISTERS == 32)
#define VDI__MASK_SMALL VDI_MASKS

/* mr, nv, masked and exact are constants after inlining, and acc stays in registers. Rows beyond
   t->rows repeat the first one and are not stored; with `exact` there are none, and three rows
   share a pointer, so that the addresses fit into registers, too. */
VDI_LOCAL void VDI_PN(vdi__tile_run)(size_t mr, size_t nv, bool masked, bool exact,
                                     const vdi__tile *t) {
    const VDI_T *a[16];
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
    if (exact) {
        a[0] = (const VDI_T *)t->a;
        VDI__UNROLL for (size_t i = 3; i < mr; i += 3) a[i] = a[i - 3] + 3 * ars;
    } else {
        VDI__UNROLL for (size_t i = 0; i < mr; i++) {
            a[i] = (const VDI_T *)t->a + (i < rows ? i * ars : 0);
        }
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
            VDI__UNROLL for (size_t j = 0; j < nv; j++) VDI__PREFETCH(c + i * ldc + j * VDI_W, 3);
        }
    }
    for (size_t run = exact || VDI_FALLBACK ? 1 : t->runs; run > 0; run--) {
        for (size_t p = t->k; p > 0; p--) {
            if (mr == 8 && nv == 3) { /* B is in a near cache, its rows far apart */
                VDI__UNROLL for (size_t j = 0; j < nv; j++)
                    VDI__PREFETCH(b + 6 * ldb + j * VDI_W, 3);
            }
            VDI__UNROLL for (size_t j = 0; j < nv; j++) {
                v[j] =
                    masked && j + 1 == nv ? VDI_VLOADT(b + last, tail) : VDI_VLOAD(b + j * VDI_W);
            }
            VDI__UNROLL for (size_t i = 0; i < mr; i++) {
                const VDI_V x = VDI_VSET1(exact ? a[i / 3 * 3][i % 3 * ars] : a[i][offset]);
                VDI__UNROLL for (size_t j = 0; j < nv; j++) {
                    acc[i * nv + j] = VDI_VFMA(x, v[j], acc[i * nv + j]);
                }
            }
            if (exact) {
                VDI__UNROLL for (size_t i = 0; i < mr; i += 3) a[i] += acs;
            } else {
                offset += acs;
            }
            b += ldb;
        }
        offset += t->jump;
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
        VDI_PN(vdi__tile_run)(mr, nv, masked, false, t);                \
    }
VDI__TILE(1, 2, VDI__MASK_SMALL)
VDI__TILE(1, 4, VDI__MASK_SMALL)
VDI__TILE(4, 2, VDI__MASK_SMALL)
#if VDI_REGISTERS == 32
VDI__TILE(1, 8, VDI__MASK_SMALL)
VDI__TILE(1, 16, VDI__MASK_SMALL)
VDI__TILE(4, 3, VDI__MASK_SMALL)
VDI__TILE(4, 4, VDI__MASK_SMALL)
VDI__TILE(8, 2, VDI__MASK_FULL)
VDI__TILE(8, 3, VDI__MASK_FULL)
VDI__TILE(6, 4, VDI__MASK_FULL)
#elif !VDI_FALLBACK
VDI__TILE(1, 8, VDI__MASK_SMALL)
VDI__TILE(6, 2, VDI__MASK_FULL)
#endif
#undef VDI__TILE

/* One vector of columns and exactly t->rows rows. Small products end here: with rows that are
 * constants nothing is chosen, and strides are part of the addresses. */
#if VDI_REGISTERS == 32
#define VDI__ROWS_EXACT(m) ((m)-1 < 8 || (m) == 16)
#elif !VDI_FALLBACK
#define VDI__ROWS_EXACT(m) ((m)-1 < 8)
#else
#define VDI__ROWS_EXACT(m) ((m)-1 < 4)
#endif
#define VDI__ROWS(mr)                                            \
    case mr:                                                     \
        t.rows = mr;                                             \
        VDI_PN(vdi__tile_run)(mr, 1, VDI__MASK_SMALL, true, &t); \
        break;
VDI_SHARED void VDI_PN(vdi__tile_rows)(const vdi__tile *request) {
    vdi__tile t = *request;
    t.ahead = false;
    switch (t.rows) {
        VDI__ROWS(1)
        VDI__ROWS(2)
        VDI__ROWS(3)
        VDI__ROWS(4)
#if !VDI_FALLBACK
        VDI__ROWS(5)
        VDI__ROWS(6)
        VDI__ROWS(7)
        VDI__ROWS(8)
#endif
#if VDI_REGISTERS == 32
        VDI__ROWS(16)
#endif
    default: break;
    }
}
#undef VDI__ROWS

/* Copy a panel of B: `steps` of k by `cols` columns, filled up with zeros to `width`. With `turned`
 * the columns are rows in memory. */
VDI_KERNEL void VDI_PN(vdi__pack)(bool transposed, size_t steps, size_t cols, const void *b_,
                                  size_t ldb, void *to_, size_t width) {
    const VDI_T *b = (const VDI_T *)b_;
    VDI_T *to = (VDI_T *)to_;
    if (!transposed) {
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

/* As products use it: NaN and -0 pass. */
VDI_KERNEL void VDI_PN(vdi__act_relu)(size_t n, double p, const void *x_, void *y_) {
    const VDI_T *x = (const VDI_T *)x_;
    VDI_T *y = (VDI_T *)y_;
    const VDI_V zero = VDI_VZERO();
    (void)p;
    for (; n >= VDI_W; n -= VDI_W, x += VDI_W, y += VDI_W)
        VDI_VSTORE(y, VDI_VMAX(zero, VDI_VLOAD(x)));
    if (n) VDI_VSTORET(y, VDI_VTAIL(n), VDI_VMAX(zero, VDI_VLOADT(x, VDI_VTAIL(n))));
}

static const vdi__gemm_path VDI_PN(vdi__gemm_path) = {
    sizeof(VDI_T),
    VDI_W,
    VDI_W == 1   ? 0
    : VDI_W == 2 ? 1
    : VDI_W == 4 ? 2
    : VDI_W == 8 ? 3
                 : 4,
#define VDI__X(r, v) VDI_PN(vdi__tile_##r##x##v)
#if VDI_REGISTERS == 32
    4,
    {16, 8, 8, 6},
    256,
    3,
    VDI_W > 8 ? VDI_W : 8,
    VDI__MASK_FULL,
    VDI__MASK_SMALL,
    !VDI_FALLBACK,
    {{VDI_PN(vdi__tile_rows), VDI__X(8, 2), VDI__X(8, 3), VDI__X(6, 4)},
     {VDI_PN(vdi__tile_rows), VDI__X(4, 2), VDI__X(4, 3), VDI__X(4, 4)},
     {VDI_PN(vdi__tile_rows), VDI__X(1, 2), VDI__X(4, 3), VDI__X(1, 4)}},
    {VDI__X(1, 16), VDI__X(1, 8), VDI__X(1, 4)},
#elif !VDI_FALLBACK
    2,
    {8, 6, 0, 0},
    320,
    2,
    8,
    VDI__MASK_FULL,
    VDI__MASK_SMALL,
    !VDI_FALLBACK,
    {{VDI_PN(vdi__tile_rows), VDI__X(6, 2), NULL, NULL},
     {VDI_PN(vdi__tile_rows), VDI__X(4, 2), NULL, NULL},
     {VDI_PN(vdi__tile_rows), VDI__X(1, 2), NULL, NULL}},
    {NULL, VDI__X(1, 8), VDI__X(1, 4)},
#else
    2,
    {4, 4, 0, 0},
    320,
    2,
    8,
    VDI__MASK_FULL,
    VDI__MASK_SMALL,
    !VDI_FALLBACK,
    {{VDI_PN(vdi__tile_rows), VDI__X(4, 2), NULL, NULL},
     {VDI_PN(vdi__tile_rows), VDI__X(4, 2), NULL, NULL},
     {VDI_PN(vdi__tile_rows), VDI__X(1, 2), NULL, NULL}},
    {NULL, NULL, VDI__X(1, 4)},
#endif
#undef VDI__X
    VDI_LENT(vdi__pack),
    {NULL, VDI_PN(vdi__act_relu), VDI_LENT(vdi__unary_leaky_relu), VDI_PN(vdi__unary_tanh),
     VDI_PN(vdi__unary_sigmoid), VDI_PN(vdi__unary_softplus), VDI_PN(vdi__unary_exp)}};

VDI_KERNEL void VDI_PN(vdi__kernel_gemm)(const vdi__gemm_args *g) {
    vdi__gemm_run(&VDI_PN(vdi__gemm_path), g);
}

VDI_KERNEL void VDI_PN(vdi__kernel_gemm_batch)(const vdi__gemm_args *g,
                                               const vdi__gemm_many *batch) {
    vdi__gemm_batch(&VDI_PN(vdi__gemm_path), g, batch);
}

/* The arguments stay where vdi_gemm has them, and the smallest products where they arrive. */
VDI_KERNEL void VDI_PN(vdi__kernel_gemm_plain)(vdi_dtype dtype, int flags, size_t m, size_t n,
                                               size_t k, const void *a, size_t lda, const void *b,
                                               size_t ldb, void *c, size_t ldc) {
    (void)dtype;
    if (VDI__ROWS_EXACT(m) && n - 1 < VDI_W && (VDI_MASKS || n == VDI_W) &&
        !(flags & VDI_GEMM_TB)) {
        vdi__tile t;
        const bool ta = (flags & VDI_GEMM_TA) != 0;
        t.a = a;
        t.b = b;
        t.c = c;
        t.init = flags & VDI_GEMM_ACC ? c : NULL;
        t.ars = ta ? 1 : lda;
        t.acs = ta ? lda : 1;
        t.ldb = ldb;
        t.ldc = t.ldinit = ldc;
        t.k = k;
        t.rows = m;
        t.cols = n;
        t.ahead = false;
        VDI_PN(vdi__tile_rows)(&t);
        return;
    }
    vdi__gemm_plain(&VDI_PN(vdi__gemm_path), flags, m, n, k, a, lda, b, ldb, c, ldc);
}

/* dz = dy act'(.), from y = act(.) */
VDI_KERNEL void VDI_PN(vdi__kernel_act_grad)(vdi_act act, double p, size_t n, const void *y_,
                                             const void *dy_, void *dz_) {
    const VDI_V zero = VDI_VZERO(), one = VDI__ONE, q = VDI_VSET1(VDI_C(p == 0 ? 0.2 : p));
    const VDI_T *y = (const VDI_T *)y_, *dy = (const VDI_T *)dy_;
    VDI_T *dz = (VDI_T *)dz_;
    for (; n > 0; VDI__BLOCK_NEXT(n)) {
        VDI_V a[VDI__BLOCK], b[VDI__BLOCK];
        VDI_T decay[VDI__BLOCK * VDI_W]; /* softplus: 1 - exp(-y) */
        VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
            a[k] = VDI_PN(vdi__block_load)(y, k, n);
            b[k] = VDI_PN(vdi__block_load)(dy, k, n);
        }
        switch (act) {
        case VDI_ACT_SOFTPLUS:
            VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
                VDI_VSTORE(decay + k * VDI_W, VDI_VNEG(a[k]));
            }
            VDI_PN(vdi__unary_expm1)(VDI__BLOCK * VDI_W, 0, decay, decay);
            VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
                a[k] = VDI_VMUL(b[k], VDI_VNEG(VDI_VLOAD(decay + k * VDI_W)));
            }
            break;
            VDI__BLOCK_CASE(VDI_ACT_RELU, VDI_VSEL(VDI_VGT(v, zero), w, zero))
            VDI__BLOCK_CASE(VDI_ACT_LEAKY_RELU, VDI_VSEL(VDI_VGT(v, zero), w, VDI_VMUL(w, q)))
            VDI__BLOCK_CASE(VDI_ACT_TANH, VDI_VMUL(w, VDI_VFNMA(v, v, one)))
            VDI__BLOCK_CASE(VDI_ACT_SIGMOID, VDI_VMUL(w, VDI_VFNMA(v, v, v)))
            VDI__BLOCK_CASE(VDI_ACT_EXP, VDI_VMUL(w, v))
        default: VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) a[k] = b[k];
        }
        VDI__UNROLL for (size_t k = 0; k < VDI__BLOCK; k++) {
            VDI_PN(vdi__block_store)(dz, k, n, a[k]);
        }
        y += VDI__BLOCK * VDI_W;
        dy += VDI__BLOCK * VDI_W;
        dz += VDI__BLOCK * VDI_W;
    }
}
#undef VDI__MASK_FULL
#undef VDI__MASK_SMALL
#undef VDI__ROWS_EXACT
