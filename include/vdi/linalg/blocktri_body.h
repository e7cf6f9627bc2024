/* linalg/blocktri_body.h - block algebra of the block-tridiagonal solver; compiled once per pass
 * (see kernel/simd.h)
 *
 * One tile carries nearly everything. It holds MR x NV vectors of C in registers, subtracts a
 * product, goes on as a forward substitution with a unit lower triangle, scales and stores. What a
 * vector is depends on the layout (vdi__bt_op.rows):
 *   lanes   a vector is one matrix element of VDI__BT_LANES trials; an element of A multiplies lane
 *           by lane
 *   rows    a vector is a piece of one matrix row; an element of A is broadcast, the last vector of
 *           a row is masked
 * A group of lanes is 64 bytes on every path, so that a factor outlives vdi_simd_set; narrower
 * paths go over it in steps of VDI_W.
 */
#define VDI__BT_LANES (64 / (int)sizeof(VDI_T))
/* The largest tile; the others have 1 or 2 rows and columns. Compile time counts: each size is
 * compiled for both layouts of each pass. */
#if VDI__ISA <= 2
#define VDI__BT_MR 2
#else
#define VDI__BT_MR 4
#endif
#if VDI_REGISTERS == 32
#define VDI__BT_NV 4
#else
#define VDI__BT_NV 2
#endif
#define VDI__BT_CUT(n, most) ((n) >= (most) ? (most) : (n) >= 2 ? 2 : 1)
#if defined(__clang__)
#define VDI__BT_UNROLL _Pragma("unroll")
#elif VDI__GNU && !defined(__TINYC__)
#define VDI__BT_UNROLL _Pragma("GCC unroll 8")
#else
#define VDI__BT_UNROLL
#endif

/* Lane j of a vector, in every lane. */
VDI_LOCAL VDI_V VDI_PN(vdi__bt_lane)(VDI_V v, int j) {
#if VDI__ISA == 4 && VDI__REAL == 64
    /* the plain form makes gcc see uninitialised values */
    return _mm512_maskz_permutexvar_pd((__mmask8)-1, _mm512_set1_epi64(j), v);
#elif VDI__ISA == 4
    return _mm512_maskz_permutexvar_ps((__mmask16)-1, _mm512_set1_epi32(j), v);
#elif VDI__ISA == 3 && VDI__REAL == 64
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(
        _mm256_castpd_ps(v), _mm256_set1_epi64x(2 * j + ((long long)(2 * j + 1) << 32))));
#elif VDI__ISA == 3
    return _mm256_permutevar8x32_ps(v, _mm256_set1_epi32(j));
#else
    VDI_T x[VDI_W];
    VDI_VSTORE(x, v);
    return VDI_VSET1(x[j]);
#endif
}

VDI_LOCAL VDI_T VDI_PN(vdi__bt_first)(VDI_V v) {
#if VDI__ISA == 4 && VDI__REAL == 64
    return _mm512_cvtsd_f64(v);
#elif VDI__ISA == 4
    return _mm512_cvtss_f32(v);
#elif VDI__ISA == 3 && VDI__REAL == 64
    return _mm256_cvtsd_f64(v);
#elif VDI__ISA == 3
    return _mm256_cvtss_f32(v);
#elif VDI__ISA == 2 && VDI__REAL == 64
    return _mm_cvtsd_f64(v);
#elif VDI__ISA == 2
    return _mm_cvtss_f32(v);
#elif VDI__ISA == 5 && VDI__REAL == 64
    return vgetq_lane_f64(v, 0);
#elif VDI__ISA == 5
    return vgetq_lane_f32(v, 0);
#else
    return v;
#endif
}

/* Is a masked load or store one instruction here? Elsewhere what is left of a row goes number by
 * number. */
#define VDI__BT_MASKS (VDI__ISA == 3 || VDI__ISA == 4)

/* What a vector of a tile is: 0 lanes, 1 a piece of a row, 2 the one number of a single column,
   kept out of masked stores, for which the next load would wait. */
VDI_LOCAL VDI_V VDI_PN(vdi__bt_load)(int mode, bool last, const VDI_T *p, VDI_TAIL tail) {
    (void)last;
    (void)tail;
    if (mode == 2) return VDI_VSET1(*p);
#if VDI__BT_MASKS
    if (mode == 1 && last) return VDI_VLOADT(p, tail);
#endif
    return VDI_VLOAD(p);
}
VDI_LOCAL void VDI_PN(vdi__bt_store)(int mode, bool last, VDI_T *p, VDI_TAIL tail, bool whole,
                                     VDI_V v) {
    (void)last;
    (void)tail;
    (void)whole;
    if (mode == 2) {
        *p = VDI_PN(vdi__bt_first)(v);
        return;
    }
#if VDI__BT_MASKS
    if (mode == 1 && last && !whole) { /* slow on some processors even with a full mask */
        VDI_VSTORET(p, tail, v);
        return;
    }
#endif
    VDI_VSTORE(p, v);
}

/* Where one tile of a request begins. Two chains of products are subtracted: A B, and the rows
 * above that are solved already. */
typedef struct VDI_PN(vdi__bt_spot) {
    const VDI_T *c, *pre, *a[2], *b[2], *tri, *post;
    VDI_T *out, *scaled;
    int64_t k[2];
} VDI_PN(vdi__bt_spot);

/* mode, mr and nv are constants after inlining; in rows, tail masks the last vector, which is
 * `whole` or not. */
VDI_LOCAL void VDI_PN(vdi__bt_tile)(int mode, int mr, int nv, const vdi__bt_op *o,
                                    const VDI_PN(vdi__bt_spot) *at, VDI_TAIL tail, bool whole) {
    const bool rows = mode != 0;
    const int64_t cs = rows ? VDI_W : o->cc, os = rows ? VDI_W : o->outc;
    VDI_V acc[VDI__BT_MR][VDI__BT_NV];
    VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
        VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
            acc[i][v] =
                at->c ? VDI_PN(vdi__bt_load)(mode, v == nv - 1, at->c + i * o->cr + v * cs, tail)
                      : VDI_VZERO();
        }
    }
    if (o->pre) {
        VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
            const VDI_V s = rows ? VDI_VSET1(at->pre[i * o->pr]) : VDI_VLOAD(at->pre + i * o->pr);
            VDI__BT_UNROLL for (int v = 0; v < nv; v++) acc[i][v] = VDI_VMUL(acc[i][v], s);
        }
    }
    for (int n = 0; n < 2; n++) {
        const VDI_T *a = at->a[n], *b = at->b[n];
        const int64_t ar = n ? o->tr : o->ar;
        const int64_t ak = n ? o->tk : o->ak;
        const int64_t br = n ? o->outr : o->br;
        const int64_t bs = rows ? VDI_W : n ? o->outc : o->bc;
        for (int64_t k = at->k[n]; k > 0; k--, a += ak, b += br) {
            VDI_V row[VDI__BT_NV];
            VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
                row[v] = VDI_PN(vdi__bt_load)(mode, v == nv - 1, b + v * bs, tail);
            }
            VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
                const VDI_V s = rows ? VDI_VSET1(a[i * ar]) : VDI_VLOAD(a + i * ar);
                VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
                    acc[i][v] = VDI_VFNMA(s, row[v], acc[i][v]);
                }
            }
        }
    }
    if (mr > 1 && o->tri) {
        VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
            VDI__BT_UNROLL for (int j = i + 1; j < mr; j++) {
                const VDI_T *p = at->tri + i * o->tk + j * o->tr;
                const VDI_V s = rows ? VDI_VSET1(*p) : VDI_VLOAD(p);
                VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
                    acc[j][v] = VDI_VFNMA(s, acc[i][v], acc[j][v]);
                }
            }
        }
    }
    VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
        VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
            VDI_PN(vdi__bt_store)(mode, v == nv - 1, at->out + i * o->outr + v * os, tail, whole,
                                  acc[i][v]);
        }
    }
    if (mode != 2 && o->scaled) {
        const int64_t ss = rows ? VDI_W : o->scaledc;
        VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
            const VDI_V s = rows ? VDI_VSET1(at->post[i * o->qr]) : VDI_VLOAD(at->post + i * o->qr);
            VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
                VDI_PN(vdi__bt_store)(mode, v == nv - 1, at->scaled + i * o->scaledr + v * ss, tail,
                                      whole, VDI_VMUL(acc[i][v], s));
            }
        }
    }
    if (mode == 2 && o->scaled) { /* columns left over in a factor */
        for (int i = 0; i < mr; i++)
            at->scaled[i * o->scaledr] = at->out[i * o->outr] * at->post[i * o->qr];
    }
}

/* mr and nv: 1, 2 or 4, nv not above mr. */
#define VDI__BT_CASE(mr, nv)                                            \
    case (mr)*8 + (nv):                                                 \
        VDI_PN(vdi__bt_tile)(VDI__BT_MODE, mr, nv, o, at, tail, whole); \
        break;
#if VDI__BT_MR == 4
#define VDI__BT_COLUMN VDI__BT_CASE(1, 1) VDI__BT_CASE(2, 1) VDI__BT_CASE(4, 1)
#else
#define VDI__BT_COLUMN VDI__BT_CASE(1, 1) VDI__BT_CASE(2, 1)
#endif
#if VDI__BT_MR == 4 && VDI__BT_NV == 4
#define VDI__BT_ALL VDI__BT_COLUMN VDI__BT_CASE(2, 2) VDI__BT_CASE(4, 2) VDI__BT_CASE(4, 4)
#elif VDI__BT_MR == 4
#define VDI__BT_ALL VDI__BT_COLUMN VDI__BT_CASE(2, 2) VDI__BT_CASE(4, 2)
#else
#define VDI__BT_ALL VDI__BT_COLUMN VDI__BT_CASE(2, 2)
#endif
#define VDI__BT_MODE 0
VDI_KERNEL void VDI_PN(vdi__bt_tile_lanes)(const vdi__bt_op *o, const VDI_PN(vdi__bt_spot) *at,
                                           int size) {
    const VDI_TAIL tail = VDI_VTAIL(VDI_W);
    const bool whole = true;
    switch (size) { VDI__BT_ALL }
}
#undef VDI__BT_MODE
#if VDI_W > 1
#define VDI__BT_MODE 1
VDI_KERNEL void VDI_PN(vdi__bt_tile_rows)(const vdi__bt_op *o, const VDI_PN(vdi__bt_spot) *at,
                                          int size, VDI_TAIL tail, bool whole) {
    switch (size) { VDI__BT_ALL }
}
#undef VDI__BT_MODE
#endif
#define VDI__BT_MODE 2
VDI_KERNEL void VDI_PN(vdi__bt_tile_one)(const vdi__bt_op *o, const VDI_PN(vdi__bt_spot) *at,
                                         int size) {
    const VDI_TAIL tail = VDI_VTAIL(1);
    const bool whole = false;
    switch (size) { VDI__BT_COLUMN }
}
#undef VDI__BT_MODE
#undef VDI__BT_CASE
#undef VDI__BT_COLUMN
#undef VDI__BT_ALL

/* Rows i0 .. i0+mr and columns j0 .. n of a request; w is the first lane. */
VDI_KERNEL VDI__NOINLINE void VDI_PN(vdi__bt_panel)(const vdi__bt_op *o, int w, int mr, int64_t i0,
                                                    int64_t j0) {
    const int64_t vec = o->rows ? VDI_W : 1;
    VDI_PN(vdi__bt_spot) s;
    s.pre = (const VDI_T *)o->pre + w + i0 * o->pr;
    s.post = (const VDI_T *)o->post + w + i0 * o->qr;
    s.k[0] = o->k;
    s.a[0] = (const VDI_T *)o->a + w + i0 * o->ar;
    s.k[1] = o->tri ? i0 : 0;
    s.a[1] = (const VDI_T *)o->tri + w + i0 * o->tr;
    s.tri = s.a[1] + i0 * o->tk;
    for (int64_t j = j0, nv; j < o->n; j += nv * vec) {
        const int64_t left = o->n - j;
        bool one = o->rows && left == 1;
        nv = VDI__BT_CUT((left + vec - 1) / vec, VDI__MIN(VDI__BT_NV, mr));
#if !VDI__BT_MASKS
        if (o->rows) { /* whole vectors first, then number by number */
            one = left < VDI_W || VDI_W == 1;
            nv = one ? 1 : VDI__BT_CUT(left / VDI_W, VDI__MIN(VDI__BT_NV, mr));
        }
#endif
        s.c = o->c ? (const VDI_T *)o->c + w + i0 * o->cr + j * o->cc : NULL;
        s.b[0] = (const VDI_T *)o->b + w + j * o->bc;
        s.b[1] = (const VDI_T *)o->out + w + j * o->outc;
        s.out = (VDI_T *)o->out + w + j * o->outc + i0 * o->outr;
        s.scaled = (VDI_T *)o->scaled + w + j * o->scaledc + i0 * o->scaledr;
        const int size = mr * 8 + (int)nv;
        if (one) {
            VDI_PN(vdi__bt_tile_one)(o, &s, mr * 8 + 1);
            nv = 1;
            if (VDI_W > 1) j += 1 - vec;
        } else if (!o->rows) {
            VDI_PN(vdi__bt_tile_lanes)(o, &s, size);
        } else {
#if VDI_W > 1
            const int64_t last = VDI__MIN(left - (nv - 1) * vec, vec);
            VDI_PN(vdi__bt_tile_rows)(o, &s, size, VDI_VTAIL(last), last == VDI_W);
#endif
        }
    }
}

VDI_KERNEL VDI__NOINLINE void VDI_PN(vdi__linalg_blocktri_op)(const vdi__bt_op *o) {
    for (int w = 0; w < (o->rows ? 1 : VDI__BT_LANES); w += VDI_W) {
        for (int64_t i = 0, mr; i < o->m; i += mr) {
            mr = VDI__BT_CUT(o->m - i, VDI__BT_MR);
            VDI_PN(vdi__bt_panel)(o, w, (int)mr, i, 0);
        }
    }
}

/* The mr x mr block on the diagonal at i0: S - (what stands before) = U' diag(p) U. The rows p U go
   to o->out, the rows of U with 1/p on their diagonal to o->scaled. Returns false if a pivot is not
   positive or its reciprocal is not finite. */
VDI_LOCAL bool VDI_PN(vdi__bt_diagonal)(bool rows, int mr, const vdi__bt_op *o, int w, int64_t i0) {
    const int64_t sr = o->scaledr, sc = o->scaledc;
    const int nv = rows ? 1 : mr;
    const VDI_TAIL tail = VDI_VTAIL(rows ? VDI__MIN(o->n - i0, (int64_t)VDI_W) : VDI_W);
    const VDI_V zero = VDI_VZERO(), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    VDI_V acc[VDI__BT_MR][VDI__BT_MR];
    VDI_M ok = VDI_VGE(zero, zero);
    VDI_T *out = (VDI_T *)o->out + w + i0 * (o->outr + o->outc);
    VDI_T *scaled = (VDI_T *)o->scaled + w + i0 * (sr + sc);
    VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
        VDI__BT_UNROLL for (int v = rows ? 0 : i; v < nv; v++) {
            /* what comes in stands where the result goes */
            const VDI_T *p = scaled + i * sr + v * sc;
            acc[i][v] = rows ? VDI_VLOADT(p, tail) : VDI_VLOAD(p);
        }
    }
    for (int chain = 0; chain < 2; chain++) {
        const int64_t ar = chain ? o->tr : o->ar, ak = chain ? o->tk : o->ak;
        const int64_t br = chain ? o->outr : o->br, bc = chain ? o->outc : o->bc;
        const VDI_T *a = (const VDI_T *)(chain ? o->tri : o->a) + w + i0 * ar;
        const VDI_T *b = (const VDI_T *)(chain ? o->out : o->b) + w + i0 * bc;
        for (int64_t k = chain ? i0 : o->k; k > 0; k--, a += ak, b += br) {
            VDI_V row[VDI__BT_MR];
            VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
                row[v] = rows ? VDI_VLOADT(b, tail) : VDI_VLOAD(b + v * bc);
            }
            VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
                VDI_V s = rows ? VDI_VSET1(a[i * ar]) : VDI_VLOAD(a + i * ar);
                VDI__BT_UNROLL for (int v = rows ? 0 : i; v < nv; v++) {
                    acc[i][v] = VDI_VFNMA(s, row[v], acc[i][v]);
                }
            }
        }
    }
    VDI__BT_UNROLL for (int j = 0; j < mr; j++) {
        VDI_V r = VDI_VDIV(VDI_VSET1(1), rows ? VDI_PN(vdi__bt_lane)(acc[j][0], j) : acc[j][j]);
        ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
        VDI__BT_UNROLL for (int i = j + 1; i < mr; i++) {
            /* the products do not wait for the quotient */
            VDI_V s = rows ? VDI_PN(vdi__bt_lane)(acc[j][0], i) : acc[j][i];
            VDI__BT_UNROLL for (int v = rows ? 0 : i; v < nv; v++) {
                acc[i][v] = VDI_VFNMA(VDI_VMUL(s, acc[j][v]), r, acc[i][v]);
            }
        }
        VDI__BT_UNROLL for (int v = rows ? 0 : j; v < nv; v++) {
            VDI_T *p = out + j * o->outr + v * o->outc, *q = scaled + j * sr + v * sc;
            if (rows) {
                VDI_VSTORET(p, tail, acc[j][0]);
                VDI_VSTORET(q, tail, VDI_VMUL(acc[j][0], r));
                q[j] = VDI_PN(vdi__bt_first)(r);
            } else {
                VDI_VSTORE(p, acc[j][v]);
                VDI_VSTORE(q, v == j ? r : VDI_VMUL(acc[j][v], r));
            }
        }
    }
    const VDI_M bad = VDI_MNOT(ok);
    return !VDI_MANY(bad);
}

/* Pivots taken at once in rows. */
#define VDI__BT_PIVOTS (VDI__BT_MASKS ? VDI__BT_MR : 1)
#define VDI__BT_CASE(mr)                                                                     \
    case mr:                                                                                 \
        good = rows ? VDI_PN(vdi__bt_diagonal)(true, VDI__MIN(mr, VDI__BT_PIVOTS), o, w, i0) \
                    : VDI_PN(vdi__bt_diagonal)(false, mr, o, w, i0);                         \
        break;
VDI_KERNEL bool VDI_PN(vdi__bt_diagonal_any)(const vdi__bt_op *o, int w, int mr, int64_t i0) {
    const bool rows = o->rows;
    bool good = false;
    switch (mr) {
        VDI__BT_CASE(1)
        VDI__BT_CASE(2)
#if VDI__BT_MR == 4
        VDI__BT_CASE(4)
#endif
    }
    return good;
}
#undef VDI__BT_CASE

/* Row i of a (d,d) block: a whole vector if it ends inside the block (what it spoils is stored
 * later), else d reals. */
VDI_LOCAL void VDI_PN(vdi__bt_row)(int d, int i, VDI_T *block, VDI_V v) {
    if (i * d + VDI_W <= d * d) {
        VDI_VSTORE(block + i * d, v);
    } else {
        VDI_T x[VDI_W];
        VDI_VSTORE(x, v);
        memcpy(block + i * d, x, (size_t)d * sizeof *x);
    }
}

/* dst = src turned over, one block (d,d); with `lower` only what stands on and under the diagonal
 * of src needs to arrive. */
VDI_LOCAL void VDI_PN(vdi__bt_turn)(int64_t d, bool lower, const VDI_T *x, VDI_T *y) {
    const int64_t full = d - d % VDI_TBLOCK;
#if VDI_TBLOCK == 8
    if (d == 4) { /* half a square of 8: number by number it takes longer than the factor itself */
        __m128 row0 = _mm_loadu_ps(x);
        __m128 row1 = _mm_loadu_ps(x + 4);
        __m128 row2 = _mm_loadu_ps(x + 8);
        __m128 row3 = _mm_loadu_ps(x + 12);
        _MM_TRANSPOSE4_PS(row0, row1, row2, row3);
        _mm_storeu_ps(y, row0);
        _mm_storeu_ps(y + 4, row1);
        _mm_storeu_ps(y + 8, row2);
        _mm_storeu_ps(y + 12, row3);
        return;
    }
#endif
    for (int64_t i = 0; i < full; i += VDI_TBLOCK) {
        for (int64_t j = 0; j < (lower ? i + 1 : full); j += VDI_TBLOCK)
            VDI_TRANSPOSE(x + i * d + j, (size_t)d, y + j * d + i, (size_t)d);
    }
    for (int64_t i = 0; full < d && i < d; i++) {
        for (int64_t j = i < full ? full : 0; j < d; j++)
            y[j * d + i] = x[i * d + j];
    }
}
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_turn)(int64_t count, int64_t d, bool lower,
                                                  const void *src, void *dst) {
    for (int64_t t = 0; t < count; t++)
        VDI_PN(vdi__bt_turn)(d, lower, (const VDI_T *)src + t * d * d, (VDI_T *)dst + t * d * d);
}

/* D and E of blocks first .. last into the places of the factor. */
VDI_LOCAL void VDI_PN(vdi__bt_turn_in)(int64_t d, const vdi__bt_factor *f, int64_t first,
                                       int64_t last) {
    for (int64_t t = first; t < last; t++) {
        const int64_t at = t * d * d;
        VDI_PN(vdi__bt_turn)(d, true, (const VDI_T *)f->D + at, (VDI_T *)f->L + at);
        if (t + 1 < f->T)
            VDI_PN(vdi__bt_turn)(d, false, (const VDI_T *)f->E + at, (VDI_T *)f->N + at);
    }
}

/* One trial, rows of one vector: blocks t0 .. t1 with the pivots' chain as short as it gets. Rows
   of S (what is left of D_t), of E_t' and of the coming Schur complement stay in registers; per
   pivot one division, and products that do not wait for it. d is a constant. */
VDI_LOCAL bool VDI_PN(vdi__bt_chain)(int d, const vdi__bt_factor *f) {
    const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(d, VDI_W));
    const VDI_V zero = VDI_VZERO(), one = VDI_VSET1(1), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    VDI_T *schur = (VDI_T *)f->g;
    VDI_T column[8][VDI_W]; /* stored whole: a masked store is not forwarded to a load */
    VDI_V s[8], e[8], p[8], c[8];
    VDI_M ok = VDI_VGE(zero, zero);
    VDI_PN(vdi__bt_turn_in)(d, f, f->t0, VDI__MIN(f->t1, f->t0 + 2));
    VDI__BT_UNROLL for (int i = 0; i < d; i++) {
        p[i] = f->t0 ? VDI_VLOADT(schur + i * d, tail) : zero;
    }
    for (int64_t t = f->t0; t < f->t1; t++) {
        VDI_T *L = (VDI_T *)f->L + t * d * d, *N = (VDI_T *)f->N + t * d * d;
        /* hidden behind the pivots' chain; two blocks ahead, since a vector of several stores is
         * not forwarded to its load */
        if (t + 2 < f->t1) VDI_PN(vdi__bt_turn_in)(d, f, t + 2, t + 3);
        VDI__BT_UNROLL for (int i = 0; i < d; i++) {
            s[i] = VDI_VADD(VDI_VLOADT(L + i * d, tail), p[i]);
            e[i] = t + 1 < f->T ? VDI_VLOADT(N + i * d, tail) : zero;
            p[i] = zero;
        }
        VDI__BT_UNROLL for (int j = 0; j < d; j++) {
            const VDI_V r = VDI_VDIV(one, VDI_PN(vdi__bt_lane)(s[j], j));
            ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
            VDI_VSTORE(column[j], e[j]);
            VDI__BT_UNROLL for (int i = j + 1; i < d; i++) {
                c[i] = VDI_PN(vdi__bt_lane)(s[j], i);
                s[i] = VDI_VFNMA(VDI_VMUL(c[i], s[j]), r, s[i]);
            }
            if (j + 1 < d) {
                const VDI_V n = VDI_VMUL(e[j], r);
                VDI__BT_UNROLL for (int i = j + 1; i < d; i++) e[i] = VDI_VFNMA(c[i], n, e[i]);
                VDI__BT_UNROLL for (int i = 0; i < d; i++) {
                    p[i] = VDI_VFNMA(VDI_VSET1(column[j][i]), n, p[i]);
                }
                VDI_PN(vdi__bt_row)(d, j, N, n);
            } else { /* the next block waits for this one */
                VDI__BT_UNROLL for (int i = 0; i < d; i++) {
                    p[i] = VDI_VFNMA(VDI_VMUL(VDI_VSET1(column[j][i]), e[j]), r, p[i]);
                }
                VDI_PN(vdi__bt_row)(d, j, N, VDI_VMUL(e[j], r)); /* zeros behind the last block */
            }
            VDI_PN(vdi__bt_row)(d, j, L, VDI_VMUL(s[j], r));
            L[j * d + j] = VDI_PN(vdi__bt_first)(r);
        }
    }
    VDI__BT_UNROLL for (int i = 0; i < d; i++) VDI_VSTORET(schur + i * d, tail, p[i]);
    const VDI_M bad = VDI_MNOT(ok);
    return !VDI_MANY(bad);
}

/* The same for lanes and blocks so small that all of S, E' and the coming Schur complement are
 * registers. d is a constant. */
VDI_LOCAL bool VDI_PN(vdi__bt_chain_lanes)(int d, const vdi__bt_factor *f) {
    const VDI_V zero = VDI_VZERO(), one = VDI_VSET1(1), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    const int64_t u = VDI__BT_LANES, dd = d * d * u;
    VDI_M ok = VDI_VGE(zero, zero);
    for (int w = 0; w < VDI__BT_LANES; w += VDI_W) {
        VDI_T *schur = (VDI_T *)f->g + w;
        VDI_V s[4][4], e[4][4], p[4][4];
        VDI__BT_UNROLL for (int i = 0; i < d; i++) {
            VDI__BT_UNROLL for (int c = i; c < d; c++) {
                p[i][c] = f->t0 ? VDI_VLOAD(schur + (i * d + c) * u) : zero;
            }
        }
        for (int64_t t = f->t0; t < f->t1; t++) {
            /* element (j,i) at j + i d */
            VDI_T *L = (VDI_T *)f->L + t * dd + w, *N = (VDI_T *)f->N + t * dd + w;
            VDI__BT_UNROLL for (int i = 0; i < d; i++) {
                VDI__BT_UNROLL for (int c = i; c < d; c++) {
                    s[i][c] = VDI_VADD(VDI_VLOAD(L + (i + c * d) * u), p[i][c]);
                    p[i][c] = zero;
                }
                VDI__BT_UNROLL for (int m = 0; m < d; m++) {
                    e[i][m] = t + 1 < f->T ? VDI_VLOAD(N + (i + m * d) * u) : zero;
                }
            }
            VDI__BT_UNROLL for (int j = 0; j < d; j++) {
                const VDI_V r = VDI_VDIV(one, s[j][j]);
                ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
                VDI_VSTORE(L + (j + j * d) * u, r);
                VDI__BT_UNROLL for (int i = j + 1; i < d; i++) {
                    VDI__BT_UNROLL for (int c = i; c < d; c++) {
                        s[i][c] = VDI_VFNMA(VDI_VMUL(s[j][i], s[j][c]), r, s[i][c]);
                    }
                    VDI_VSTORE(L + (j + i * d) * u, VDI_VMUL(s[j][i], r));
                }
                VDI__BT_UNROLL for (int m = 0; m < d; m++) {
                    const VDI_V n = VDI_VMUL(e[j][m], r);
                    VDI_VSTORE(N + (j + m * d) * u, n);
                    VDI__BT_UNROLL for (int i = j + 1; i < d; i++) {
                        e[i][m] = VDI_VFNMA(s[j][i], n, e[i][m]);
                    }
                    VDI__BT_UNROLL for (int i = 0; i <= m; i++) {
                        p[i][m] = VDI_VFNMA(e[j][i], n, p[i][m]);
                    }
                }
            }
        }
        VDI__BT_UNROLL for (int i = 0; i < d; i++) {
            VDI__BT_UNROLL for (int c = i; c < d; c++) VDI_VSTORE(schur + (i * d + c) * u, p[i][c]);
        }
    }
    const VDI_M bad = VDI_MNOT(ok);
    return !VDI_MANY(bad);
}

/* Blocks t0 .. t1 of one group: in rows D and E are the caller's, in lanes L and N hold them on
 * entry; L and N hold the factor on return.
 */
VDI_KERNEL bool VDI_PN(vdi__linalg_blocktri_factor)(const vdi__bt_factor *f) {
    const int64_t d = f->d, u = f->rows ? 1 : VDI__BT_LANES, dd = d * d * u;
    /* strides of a row and a column of U and N' */
    const int64_t r = f->rows ? d : u, c = f->rows ? 1 : d * u;
    const int panel = f->rows ? VDI__BT_PIVOTS : VDI__BT_MR;
    VDI_T *gl = (VDI_T *)f->g, *gn = gl + dd;
    bool good = true;
#if VDI__ISA >= 3
    if (!f->rows) {
        switch (d) {
        case 1: return VDI_PN(vdi__bt_chain_lanes)(1, f);
        case 2: return VDI_PN(vdi__bt_chain_lanes)(2, f);
        case 3: return VDI_PN(vdi__bt_chain_lanes)(3, f);
        case 4: return VDI_PN(vdi__bt_chain_lanes)(4, f);
        default: break;
        }
    }
#endif
#if VDI__ISA == 3 || (VDI__ISA == 4 && VDI__REAL == 64)
    if (f->rows) {
        switch (d) {
#if VDI__ISA == 3 /* up to 32 bytes the wider path comes here, too */
        case 1: return VDI_PN(vdi__bt_chain)(1, f);
        case 2: return VDI_PN(vdi__bt_chain)(2, f);
        case 3: return VDI_PN(vdi__bt_chain)(3, f);
        case 4: return VDI_PN(vdi__bt_chain)(4, f);
#else
        case 5: return VDI_PN(vdi__bt_chain)(5, f);
        case 6: return VDI_PN(vdi__bt_chain)(6, f);
        case 7: return VDI_PN(vdi__bt_chain)(7, f);
#endif
#if VDI_W == 8
        case 8: return VDI_PN(vdi__bt_chain)(8, f);
#endif
        default: break;
        }
    }
#endif
    if (f->rows) VDI_PN(vdi__bt_turn_in)(d, f, f->t0, f->t1);
    vdi__bt_op l = VDI__ZERO, n = VDI__ZERO;
    l.rows = n.rows = f->rows;
    l.m = l.n = n.m = n.n = d;
    l.cr = l.br = l.outr = l.scaledr = n.cr = n.outr = n.scaledr = r;
    l.cc = l.bc = l.outc = l.scaledc = n.cc = n.outc = n.scaledc = c;
    l.a = gn;
    l.ar = c;
    l.ak = r;
    l.out = gl;
    n.out = gn;
    l.tr = n.tr = c;
    l.tk = n.tk = r;
    l.qr = n.qr = (d + 1) * u;
    for (int64_t t = f->t0; t < f->t1; t++) {
        VDI_T *L = (VDI_T *)f->L + t * dd, *N = (VDI_T *)f->N + t * dd;
        l.c = l.tri = n.tri = l.post = n.post = L;
        l.scaled = L;
        l.b = N - dd;
        l.k = t > 0 ? d : 0;
        n.c = N;
        n.scaled = N;
        for (int w = 0; w < u; w += VDI_W) {
            for (int64_t i = 0, mr; i < d; i += mr) {
                mr = VDI__BT_CUT(d - i, panel);
                good &= VDI_PN(vdi__bt_diagonal_any)(&l, w, (int)mr, i);
                VDI_PN(vdi__bt_panel)(&l, w, (int)mr, i, i + (f->rows ? VDI_W : mr));
            }
            if (t + 1 < f->T) {
                for (int64_t i = 0, mr; i < d; i += mr) {
                    mr = VDI__BT_CUT(d - i, VDI__BT_MR);
                    VDI_PN(vdi__bt_panel)(&n, w, (int)mr, i, 0);
                }
            }
        }
    }
    return good;
}

/* Vectors through the factor of one group, in place: see VDI__BT_FORWARD and its kin. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_sweep)(const vdi__bt_sweep *s) {
    const int64_t d = s->d, u = s->rows ? 1 : VDI__BT_LANES, dd = d * d * u;
    const int64_t r = s->rows ? d : u;
    const int64_t c = s->rows ? 1 : d * u;
    const int64_t ys = s->ys * u;
    const int64_t step = d * ys;
    VDI_T *root = (VDI_T *)s->root;
    vdi__bt_op o = VDI__ZERO;
    o.rows = s->rows;
    o.m = d;
    o.n = s->n;
    o.cc = o.bc = o.outc = s->rows ? 1 : u; /* lanes have one column */
    if (s->what & VDI__BT_FORWARD) {
        o.cr = o.outr = o.br = ys;
        o.ar = o.tr = c;
        o.ak = o.tk = r;
        for (int64_t t = 0; t < s->T; t++) {
            o.c = o.out = (VDI_T *)s->y + t * step;
            o.b = (VDI_T *)s->y + (t - 1) * step;
            o.a = (const VDI_T *)s->N + (t - 1) * dd;
            o.k = t > 0 ? d : 0;
            o.tri = (const VDI_T *)s->L + t * dd;
            VDI_PN(vdi__linalg_blocktri_op)(&o);
        }
    }
    o.tri = NULL;
    for (int64_t t = s->T - 1; t >= 0; t--) {
        const VDI_T *L = (const VDI_T *)s->L + t * dd;
        VDI_T *y = (VDI_T *)s->y + t * step;
        const VDI_T *scale = L;
        int64_t sr = (d + 1) * u;
        if (s->what & VDI__BT_ROOT) { /* 1/p to 1/sqrt(p) */
            for (int64_t i = 0; i < d; i++) {
                for (int w = 0; w < u; w += VDI_W) {
                    const VDI_T *p = L + w + i * (d + 1) * u;
                    VDI_V x = VDI_VSQRT(s->rows ? VDI_VSET1(*p) : VDI_VLOAD(p));
                    if (s->rows)
                        root[i] = VDI_PN(vdi__bt_first)(x);
                    else
                        VDI_VSTORE(root + i * u + w, x);
                }
            }
            scale = root;
            sr = u;
        }
        if (s->what & VDI__BT_BACKWARD) { /* rows from the last to the first */
            o.c = o.out = y + (d - 1) * ys;
            o.cr = o.outr = -ys;
            o.br = ys;
            o.pre = scale + (d - 1) * sr;
            o.pr = -sr;
            o.a = (const VDI_T *)s->N + t * dd + (d - 1) * r;
            o.ar = -r;
            o.ak = c;
            o.b = y + step;
            o.k = t + 1 < s->T ? d : 0;
            o.tri = L + (d * d - 1) * u;
            o.tr = -r;
            o.tk = -c;
            VDI_PN(vdi__linalg_blocktri_op)(&o);
        } else {
            o.c = o.out = y;
            o.cr = o.outr = ys;
            o.k = 0;
            o.pre = scale;
            o.pr = sr;
            VDI_PN(vdi__linalg_blocktri_op)(&o);
        }
    }
}

#if VDI__ISA == 3
/* out(i,j) = in(j,i), rows VDI_W apart. */
VDI_LOCAL void VDI_PN(vdi__bt_flip)(int d, const VDI_T *in, VDI_T *out) {
    if (d == VDI_TBLOCK && d == VDI_W) {
        VDI_TRANSPOSE(in, (size_t)VDI_W, out, (size_t)VDI_W);
        return;
    }
    VDI__BT_UNROLL for (int i = 0; i < d; i++) {
        VDI__BT_UNROLL for (int j = 0; j < d; j++) out[i * VDI_W + j] = in[j * VDI_W + i];
    }
}

/* Marginals of one trial with rows of one vector (see vdi__bt_marginals_run for the formulas). d is
 * a constant. */
VDI_LOCAL void VDI_PN(vdi__bt_marginals_rows)(int d, int64_t T, const VDI_T *L, const VDI_T *N,
                                              VDI_T *S, VDI_T *O) {
    const VDI_TAIL tail = VDI_VTAIL(d);
    const VDI_V half = VDI_VSET1(VDI_C(0.5));
    VDI_T eye[4 * VDI_W] = {0}, a[4 * VDI_W] = {0}, b[4 * VDI_W] = {0};
    VDI_V x[4], g[4], o[4], s[4];
    VDI__BT_UNROLL for (int i = 0; i < d; i++) {
        eye[i * VDI_W + i] = 1;
        s[i] = VDI_VZERO();
    }
    for (int64_t t = T - 1; t >= 0; t--) {
        const VDI_T *l = L + t * d * d, *n = N + t * d * d;
        VDI__BT_UNROLL for (int i = 0; i < d; i++) {
            x[i] = VDI_VLOAD(eye + i * VDI_W);
            VDI__BT_UNROLL for (int k = 0; k < i; k++) {
                x[i] = VDI_VFNMA(VDI_VSET1(l[k * d + i]), x[k], x[i]);
            }
        }
        VDI__BT_UNROLL for (int i = 0; i < d; i++) x[i] = VDI_VMUL(x[i], VDI_VSET1(l[i * d + i]));
        if (t + 1 < T) {
            VDI__BT_UNROLL for (int j = d - 1; j >= 0; j--) {
                g[j] = VDI_VLOADT(n + j * d, tail);
                VDI__BT_UNROLL for (int i = j + 1; i < d; i++) {
                    g[j] = VDI_VFNMA(VDI_VSET1(l[j * d + i]), g[i], g[j]);
                }
                VDI_VSTORE(a + j * VDI_W, g[j]);
            }
            VDI__BT_UNROLL for (int j = 0; j < d; j++) { /* rows of O' = -G' S */
                o[j] = VDI_VZERO();
                VDI__BT_UNROLL for (int k = 0; k < d; k++) {
                    o[j] = VDI_VFNMA(VDI_VSET1(a[j * VDI_W + k]), s[k], o[j]);
                }
            }
            VDI__BT_UNROLL for (int j = 0; j < d; j++) VDI_VSTORE(a + j * VDI_W, o[j]);
            VDI_PN(vdi__bt_flip)(d, a, b);
            VDI__BT_UNROLL for (int i = 0; i < d; i++) {
                o[i] = VDI_VLOAD(b + i * VDI_W);
                if (O) VDI_PN(vdi__bt_row)(d, i, O + t * d * d, o[i]);
            }
            VDI__BT_UNROLL for (int j = 0; j < d; j++) {
                VDI__BT_UNROLL for (int i = 0; i < d; i++) {
                    x[j] = VDI_VFNMA(VDI_VSET1(n[j * d + i]), o[i], x[j]);
                }
            }
        }
        VDI__BT_UNROLL for (int j = d - 1; j >= 0; j--) {
            VDI__BT_UNROLL for (int i = j + 1; i < d; i++) {
                x[j] = VDI_VFNMA(VDI_VSET1(l[j * d + i]), x[i], x[j]);
            }
            VDI_VSTORE(a + j * VDI_W, x[j]);
        }
        VDI_PN(vdi__bt_flip)(d, a, b);
        VDI__BT_UNROLL for (int i = 0; i < d; i++) {
            s[i] = VDI_VMUL(half, VDI_VADD(x[i], VDI_VLOAD(b + i * VDI_W)));
            VDI_PN(vdi__bt_row)(d, i, S + t * d * d, s[i]);
        }
    }
}
#endif

/* Marginals of one trial of small blocks straight into the caller's arrays; false where there is no
 * short way. */
VDI_KERNEL bool VDI_PN(vdi__linalg_blocktri_marginals)(int64_t d, int64_t T, const void *L,
                                                       const void *N, void *S, void *O) {
#if VDI__ISA == 3
    const VDI_T *l = (const VDI_T *)L, *n = (const VDI_T *)N;
    switch (d) {
    case 1: VDI_PN(vdi__bt_marginals_rows)(1, T, l, n, (VDI_T *)S, (VDI_T *)O); return true;
    case 2: VDI_PN(vdi__bt_marginals_rows)(2, T, l, n, (VDI_T *)S, (VDI_T *)O); return true;
    case 3: VDI_PN(vdi__bt_marginals_rows)(3, T, l, n, (VDI_T *)S, (VDI_T *)O); return true;
    case 4: VDI_PN(vdi__bt_marginals_rows)(4, T, l, n, (VDI_T *)S, (VDI_T *)O); return true;
    default: return false;
    }
#else
    (void)d;
    (void)T;
    (void)L;
    (void)N;
    (void)S;
    (void)O;
    return false;
#endif
}

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
                    VDI__BT_UNROLL for (int q = 0; q < VDI_TBLOCK; q++) {
                        y[e * VDI__BT_LANES + q] = 0;
                    }
                }
                for (e = 0; any && e < some; e++) {
                    VDI__BT_UNROLL for (int q = 0; q < VDI_TBLOCK; q++) {
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

/* Elementwise work on (d,d) blocks, out row-major. Strides as in vdi__bt_op. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_map)(vdi__bt_kind kind, bool rows, int64_t d,
                                                 const void *x, int64_t xr, int64_t xc,
                                                 const void *y, int64_t yr, int64_t yc,
                                                 double scale, void *out) {
    const int64_t u = rows ? 1 : VDI__BT_LANES;
    const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(u, (int64_t)VDI_W));
    const VDI_V s = VDI_VSET1(VDI_C(scale));
    if (!rows && (kind == VDI__BT_SUM || kind == VDI__BT_SCALE)) {
        /* most calls, without a question for each element */
        for (int w = 0; w < u; w += VDI_W) {
            for (int64_t i = 0; i < d; i++) {
                const VDI_T *p = (const VDI_T *)x + w + i * xr * u;
                const VDI_T *q = (const VDI_T *)y + w + i * yr * u;
                VDI_T *to = (VDI_T *)out + w + i * d * u;
                if (kind == VDI__BT_SCALE) {
                    for (int64_t j = 0; j < d; j++, p += xc * u, to += u)
                        VDI_VSTORE(to, VDI_VMUL(s, VDI_VLOAD(p)));
                } else {
                    for (int64_t j = 0; j < d; j++, p += xc * u, q += yc * u, to += u)
                        VDI_VSTORE(to, VDI_VMUL(s, VDI_VADD(VDI_VLOAD(p), VDI_VLOAD(q))));
                }
            }
        }
        return;
    }
    for (int w = 0; w < u; w += VDI_W) {
        for (int64_t i = 0; i < d; i++) {
            for (int64_t j = 0; j < d; j++) {
                const VDI_T *p = (const VDI_T *)x + w + (i * xr + j * xc) * u;
                const VDI_T *q = (const VDI_T *)y + w + (i * yr + j * yc) * u;
                VDI_V v = VDI_VZERO();
                switch (kind) {
                case VDI__BT_SUM:
                    v = VDI_VMUL(s, VDI_VADD(VDI_VLOADT(p, tail), VDI_VLOADT(q, tail)));
                    break;
                case VDI__BT_SCALE: v = VDI_VMUL(s, VDI_VLOADT(p, tail)); break;
                case VDI__BT_PRODUCT: v = VDI_VMUL(VDI_VLOADT(p, tail), VDI_VLOADT(q, tail)); break;
                case VDI__BT_ROOT_ROWS:
                    v = VDI_VMUL(VDI_VLOADT(p, tail), VDI_VSQRT(VDI_VLOADT(q, tail)));
                    break;
                case VDI__BT_ROOT_COLUMNS:
                    /* an upper triangle, y the diagonal of 1/p: back to Cholesky's own columns */
                    if (j > i)
                        v = VDI_VDIV(VDI_VLOADT(p, tail), VDI_VSQRT(VDI_VLOADT(q, tail)));
                    else if (j == i)
                        v = VDI_VDIV(VDI_VSET1(1), VDI_VSQRT(VDI_VLOADT(q, tail)));
                    break;
                case VDI__BT_ROOT_DIVIDE:
                    v = VDI_VDIV(VDI_VLOADT(p, tail), VDI_VSQRT(VDI_VLOADT(q, tail)));
                    break;
                case VDI__BT_UNIT:
                    v = j < i ? VDI_VLOADT(p, tail) : VDI_VSET1(VDI_C(i == j));
                    break;
                case VDI__BT_HALF: /* upper triangle, half the diagonal */
                    if (j >= i) v = VDI_VLOADT(p, tail);
                    if (j == i) v = VDI_VMUL(v, VDI_VSET1(VDI_C(0.5)));
                    break;
                }
                VDI_VSTORET((VDI_T *)out + w + (i * d + j) * u, tail, v);
            }
        }
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
#undef VDI__BT_MR
#undef VDI__BT_NV
#undef VDI__BT_STAGE
#undef VDI__BT_MASKS
#undef VDI__BT_CUT
#undef VDI__BT_UNROLL
#undef VDI__BT_PIVOTS
