/* linalg/blocktri_body.h - block algebra of the block-tridiagonal solver; compiled once per pass (see kernel/simd.h)
 *
 * One tile carries nearly everything. It holds MR x NV vectors of C in registers, subtracts a product, goes on as a forward
 * substitution with a unit lower triangle, scales and stores. What a vector is depends on the layout (vdi__bt_op.rows):
 *   lanes   a vector is one matrix element of VDI__BT_LANES trials; an element of A multiplies lane by lane
 *   rows    a vector is a piece of one matrix row; an element of A is broadcast, the last vector of a row is masked
 * A group of lanes is 64 bytes on every path, so that a factor outlives vdi_simd_set; narrower paths go over it in steps of VDI_W.
 */
#define VDI__BT_LANES (64 / (int)sizeof(VDI_T))
#if VDI_W == 1
#define VDI__BT_MR 2
#define VDI__BT_NV 2
#elif VDI_REGISTERS == 32
#define VDI__BT_MR 4
#define VDI__BT_NV 4
#else
#define VDI__BT_MR 4
#define VDI__BT_NV 2
#endif
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
    return _mm512_maskz_permutexvar_pd((__mmask8)-1, _mm512_set1_epi64(j), v); /* the plain form makes gcc see uninitialised values */
#elif VDI__ISA == 4
    return _mm512_maskz_permutexvar_ps((__mmask16)-1, _mm512_set1_epi32(j), v);
#elif VDI__ISA == 3 && VDI__REAL == 64
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(v), _mm256_set1_epi64x(2 * j + ((long long)(2 * j + 1) << 32))));
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

/* An element: a scalar in every lane, or the lanes' own. */
VDI_LOCAL VDI_V VDI_PN(vdi__bt_get)(bool rows, const VDI_T *p, int64_t at) {
    return rows ? VDI_VSET1(p[at]) : VDI_VLOAD(p + at * VDI__BT_LANES);
}

/* What a vector of a tile is: 0 lanes, 1 a piece of a row, 2 the one number of a single column, kept out of masked stores, for which the next load would wait. */
VDI_LOCAL VDI_V VDI_PN(vdi__bt_load)(int mode, bool last, const VDI_T *p, VDI_TAIL tail) {
    if (mode == 2) return VDI_VSET1(*p);
    return mode == 1 && last ? VDI_VLOADT(p, tail) : VDI_VLOAD(p);
}
VDI_LOCAL void VDI_PN(vdi__bt_store)(int mode, bool last, VDI_T *p, VDI_TAIL tail, bool whole, VDI_V v) {
    if (mode == 2) *p = VDI_PN(vdi__bt_first)(v);
    else if (mode == 1 && last && !whole) VDI_VSTORET(p, tail, v); /* slow on some processors even with a full mask */
    else VDI_VSTORE(p, v);
}

/* Rows i0.. and columns j0.. of one request. mode, mr and nv are constants after inlining; w is the first lane; in rows, tail masks the
   last vector, which is `whole` or not. */
VDI_LOCAL void VDI_PN(vdi__bt_tile)(int mode, int mr, int nv, const vdi__bt_op *o, int w, int64_t i0, int64_t j0, VDI_TAIL tail, bool whole) {
    const bool rows = mode != 0;
    const int64_t u = rows ? 1 : VDI__BT_LANES;
    VDI_V acc[VDI__BT_MR][VDI__BT_NV];
    (void)tail, (void)whole;
    if (o->c) {
        const VDI_T *c = (const VDI_T *)o->c + w + (i0 * o->cr + j0 * o->cc) * u;
        const int64_t step = rows ? VDI_W : o->cc * u;
        VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
            VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
                const VDI_T *p = c + i * o->cr * u + v * step;
                acc[i][v] = VDI_PN(vdi__bt_load)(mode, v == nv - 1, p, tail);
            }
        }
        if (o->pre) {
            VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
                VDI_V s = VDI_PN(vdi__bt_get)(rows, (const VDI_T *)o->pre + w, (i0 + i) * o->pr);
                VDI__BT_UNROLL for (int v = 0; v < nv; v++) acc[i][v] = VDI_VMUL(acc[i][v], s);
            }
        }
    } else {
        VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
            VDI__BT_UNROLL for (int v = 0; v < nv; v++) acc[i][v] = VDI_VZERO();
        }
    }
    if (o->k > 0) {
        const VDI_T *a = (const VDI_T *)o->a + w + i0 * o->ar * u, *b = (const VDI_T *)o->b + w + j0 * o->bc * u;
        const int64_t step = rows ? VDI_W : o->bc * u;
        for (int64_t k = 0; k < o->k; k++, a += o->ak * u, b += o->br * u) {
            VDI_V row[VDI__BT_NV];
            VDI__BT_UNROLL for (int v = 0; v < nv; v++)
                row[v] = VDI_PN(vdi__bt_load)(mode, v == nv - 1, b + v * step, tail);
            VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
                VDI_V s = VDI_PN(vdi__bt_get)(rows, a, i * o->ar);
                VDI__BT_UNROLL for (int v = 0; v < nv; v++) acc[i][v] = VDI_VFNMA(s, row[v], acc[i][v]);
            }
        }
    }
    VDI_T *out = (VDI_T *)o->out + w + j0 * o->outc * u;
    const int64_t step = rows ? VDI_W : o->outc * u;
    if (o->tri) {
        const VDI_T *tri = (const VDI_T *)o->tri + w + i0 * o->tr * u;
        const VDI_T *b = out;
        for (int64_t k = 0; k < i0; k++, tri += o->tk * u, b += o->outr * u) {
            VDI_V row[VDI__BT_NV];
            VDI__BT_UNROLL for (int v = 0; v < nv; v++)
                row[v] = VDI_PN(vdi__bt_load)(mode, v == nv - 1, b + v * step, tail);
            VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
                VDI_V s = VDI_PN(vdi__bt_get)(rows, tri, i * o->tr);
                VDI__BT_UNROLL for (int v = 0; v < nv; v++) acc[i][v] = VDI_VFNMA(s, row[v], acc[i][v]);
            }
        }
        out += i0 * o->outr * u;
        VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
            if (o->g) { /* both kinds of rows are wanted: before and after scaling */
                VDI_T *g = (VDI_T *)o->g + w + ((i0 + i) * o->gr + j0 * o->gc) * u;
                VDI_V s = VDI_PN(vdi__bt_get)(rows, (const VDI_T *)o->post + w, (i0 + i) * o->qr);
                VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
                    VDI_T *p = g + v * (rows ? VDI_W : o->gc * u);
                    VDI_PN(vdi__bt_store)(mode, v == nv - 1, p, tail, whole, acc[i][v]);
                    acc[i][v] = VDI_VMUL(acc[i][v], s);
                }
            }
            VDI__BT_UNROLL for (int j = i + 1; j < mr; j++) {
                VDI_V s = VDI_PN(vdi__bt_get)(rows, tri + i * o->tk * u, j * o->tr);
                VDI__BT_UNROLL for (int v = 0; v < nv; v++) acc[j][v] = VDI_VFNMA(s, acc[i][v], acc[j][v]);
            }
        }
    } else {
        out += i0 * o->outr * u;
    }
    VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
        VDI__BT_UNROLL for (int v = 0; v < nv; v++) {
            VDI_T *p = out + i * o->outr * u + v * step;
            VDI_PN(vdi__bt_store)(mode, v == nv - 1, p, tail, whole, acc[i][v]);
        }
    }
}

#define VDI__BT_CASE(mr, nv) \
    case (mr) * 8 + (nv): VDI_PN(vdi__bt_tile)(VDI__BT_MODE, mr, nv, o, w, i0, j0, tail, whole); break;
#if VDI__BT_NV == 4
#define VDI__BT_CASES(mr) VDI__BT_CASE(mr, 1) VDI__BT_CASE(mr, 2) VDI__BT_CASE(mr, 3) VDI__BT_CASE(mr, 4)
#else
#define VDI__BT_CASES(mr) VDI__BT_CASE(mr, 1) VDI__BT_CASE(mr, 2)
#endif
#if VDI__BT_MR == 4
#define VDI__BT_ALL VDI__BT_CASES(1) VDI__BT_CASES(2) VDI__BT_CASES(3) VDI__BT_CASES(4)
#else
#define VDI__BT_ALL VDI__BT_CASES(1) VDI__BT_CASES(2)
#endif
#define VDI__BT_MODE 0
VDI_KERNEL void VDI_PN(vdi__bt_tile_lanes)(const vdi__bt_op *o, int w, int mr, int nv, int64_t i0, int64_t j0) {
    const VDI_TAIL tail = VDI_VTAIL(VDI_W);
    const bool whole = true;
    switch (mr * 8 + nv) { VDI__BT_ALL }
}
#undef VDI__BT_MODE
#define VDI__BT_MODE 1
VDI_KERNEL void VDI_PN(vdi__bt_tile_rows)(const vdi__bt_op *o, int mr, int nv, int64_t i0, int64_t j0, VDI_TAIL tail, bool whole) {
    const int w = 0;
    switch (mr * 8 + nv) { VDI__BT_ALL }
}
#undef VDI__BT_MODE
#define VDI__BT_MODE 2
VDI_KERNEL void VDI_PN(vdi__bt_tile_one)(const vdi__bt_op *o, int mr, int64_t i0, int64_t j0) {
    const VDI_TAIL tail = VDI_VTAIL(1);
    const bool whole = false;
    const int w = 0;
    switch (mr * 8 + 1) {
        VDI__BT_CASE(1, 1)
        VDI__BT_CASE(2, 1)
#if VDI__BT_MR == 4
        VDI__BT_CASE(3, 1)
        VDI__BT_CASE(4, 1)
#endif
    }
}
#undef VDI__BT_MODE
#undef VDI__BT_CASE
#undef VDI__BT_CASES
#undef VDI__BT_ALL

/* Rows i0 .. i0+mr and columns j0 .. n of a request. */
VDI_LOCAL void VDI_PN(vdi__bt_panel)(const vdi__bt_op *o, int w, int mr, int64_t i0, int64_t j0) {
    const int64_t vec = o->rows ? VDI_W : 1;
    for (int64_t j = j0; j < o->n; j += VDI__BT_NV * vec) {
        const int nv = (int)VDI__MIN((int64_t)VDI__BT_NV, (o->n - j + vec - 1) / vec);
        const int64_t last = VDI__MIN(o->n - j - (nv - 1) * vec, vec);
        if (o->rows && o->n - j == 1) VDI_PN(vdi__bt_tile_one)(o, mr, i0, j);
        else if (o->rows) VDI_PN(vdi__bt_tile_rows)(o, mr, nv, i0, j, VDI_VTAIL(last), last == VDI_W);
        else VDI_PN(vdi__bt_tile_lanes)(o, w, mr, nv, i0, j);
    }
}

VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_op)(const vdi__bt_op *o) {
    for (int w = 0; w < (o->rows ? 1 : VDI__BT_LANES); w += VDI_W)
        for (int64_t i = 0; i < o->m; i += VDI__BT_MR) VDI_PN(vdi__bt_panel)(o, w, (int)VDI__MIN((int64_t)VDI__BT_MR, o->m - i), i, 0);
}

/* The mr x mr block on the diagonal at i0: S - (what stands before) = U' diag(p) U. Rows of U are stored right of the diagonal, 1/p on
   it, and the unscaled rows p U in o->g. Returns false if a pivot is not positive or its reciprocal is not finite. */
VDI_LOCAL bool VDI_PN(vdi__bt_diagonal)(bool rows, int mr, const vdi__bt_op *o, int w, int64_t i0) {
    const int64_t u = rows ? 1 : VDI__BT_LANES;
    const int nv = rows ? 1 : mr;
    const VDI_TAIL tail = VDI_VTAIL(rows ? VDI__MIN(o->n - i0, (int64_t)VDI_W) : VDI_W);
    const VDI_V zero = VDI_VZERO(), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    VDI_V acc[VDI__BT_MR][VDI__BT_MR];
    VDI_M ok = VDI_VGE(zero, zero);
    VDI_T *out = (VDI_T *)o->out + w + (i0 * o->outr + i0 * o->outc) * u, *g = (VDI_T *)o->g + w + (i0 * o->gr + i0 * o->gc) * u;
    VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
        VDI__BT_UNROLL for (int v = rows ? 0 : i; v < nv; v++) {
            const VDI_T *p = out + (i * o->outr + v * o->outc) * u;
            acc[i][v] = rows ? VDI_VLOADT(p, tail) : VDI_VLOAD(p);
        }
    }
    for (int chain = 0; chain < 2; chain++) {
        const int64_t count = chain ? i0 : o->k;
        const VDI_T *a = chain ? (const VDI_T *)o->g + w + i0 * o->gc * u : (const VDI_T *)o->a + w + i0 * o->ar * u;
        const VDI_T *b = chain ? (const VDI_T *)o->out + w + i0 * o->outc * u : (const VDI_T *)o->b + w + i0 * o->bc * u;
        const int64_t ar = chain ? o->gc : o->ar, ak = chain ? o->gr : o->ak, br = chain ? o->outr : o->br, bc = chain ? o->outc : o->bc;
        for (int64_t k = 0; k < count; k++, a += ak * u, b += br * u) {
            VDI_V row[VDI__BT_MR];
            VDI__BT_UNROLL for (int v = 0; v < nv; v++) row[v] = rows ? VDI_VLOADT(b, tail) : VDI_VLOAD(b + v * bc * u);
            VDI__BT_UNROLL for (int i = 0; i < mr; i++) {
                VDI_V s = VDI_PN(vdi__bt_get)(rows, a, i * ar);
                VDI__BT_UNROLL for (int v = rows ? 0 : i; v < nv; v++) acc[i][v] = VDI_VFNMA(s, row[v], acc[i][v]);
            }
        }
    }
    VDI__BT_UNROLL for (int j = 0; j < mr; j++) {
        VDI_V p = rows ? VDI_PN(vdi__bt_lane)(acc[j][0], j) : acc[j][j];
        VDI_V r = VDI_VDIV(VDI_VSET1(1), p);
        ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
        VDI__BT_UNROLL for (int i = j + 1; i < mr; i++) { /* the products do not wait for the quotient */
            VDI_V s = rows ? VDI_PN(vdi__bt_lane)(acc[j][0], i) : acc[j][i];
            VDI__BT_UNROLL for (int v = rows ? 0 : i; v < nv; v++) acc[i][v] = VDI_VFNMA(VDI_VMUL(s, acc[j][v]), r, acc[i][v]);
        }
        VDI_T *q = out + j * o->outr * u;
        VDI__BT_UNROLL for (int v = rows ? 0 : j; v < nv; v++) {
            if (rows) {
                VDI_VSTORET(g + j * o->gr, tail, acc[j][0]);
                VDI_VSTORET(q, tail, VDI_VMUL(acc[j][0], r));
                q[j] = VDI_PN(vdi__bt_first)(r);
            } else {
                VDI_VSTORE(g + (j * o->gr + v * o->gc) * u, acc[j][v]);
                VDI_VSTORE(q + v * o->outc * u, v == j ? r : VDI_VMUL(acc[j][v], r));
            }
        }
    }
    const VDI_M bad = VDI_MNOT(ok);
    return !VDI_MANY(bad);
}

#define VDI__BT_PIVOTS (VDI__BT_MR < VDI_W ? VDI__BT_MR : VDI_W)
#define VDI__BT_CASE(mr) \
    case mr: good = rows ? VDI_PN(vdi__bt_diagonal)(true, VDI__MIN(mr, VDI__BT_PIVOTS), o, w, i0) : VDI_PN(vdi__bt_diagonal)(false, mr, o, w, i0); break;
VDI_KERNEL bool VDI_PN(vdi__bt_diagonal_any)(const vdi__bt_op *o, int w, int mr, int64_t i0) {
    const bool rows = o->rows;
    bool good = false;
    switch (mr) {
        VDI__BT_CASE(1)
        VDI__BT_CASE(2)
#if VDI__BT_MR == 4
        VDI__BT_CASE(3)
        VDI__BT_CASE(4)
#endif
    }
    return good;
}
#undef VDI__BT_CASE

/* Row i of a (d,d) block: a whole vector if it ends inside the block (what it spoils is stored later), else d reals. */
VDI_LOCAL void VDI_PN(vdi__bt_row)(int d, int i, VDI_T *block, VDI_V v) {
    if (i * d + VDI_W <= d * d) {
        VDI_VSTORE(block + i * d, v);
    } else {
        VDI_T x[VDI_W];
        VDI_VSTORE(x, v);
        memcpy(block + i * d, x, (size_t)d * sizeof *x);
    }
}

/* One trial, rows of one vector: blocks t0 .. t1 with the pivots' chain as short as it gets. Rows of S (what is left of D_t), of E_t' and
   of the coming Schur complement stay in registers; per pivot one division, and products that do not wait for it. d is a constant. */
VDI_LOCAL bool VDI_PN(vdi__bt_chain)(int d, const vdi__bt_factor *f) {
    const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(d, VDI_W));
    const VDI_V zero = VDI_VZERO(), one = VDI_VSET1(1), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    VDI_T *schur = (VDI_T *)f->g;
    VDI_T column[8][VDI_W]; /* stored whole: a masked store is not forwarded to a load */
    VDI_V s[8], e[8], p[8], c[8];
    VDI_M ok = VDI_VGE(zero, zero);
    VDI__BT_UNROLL for (int i = 0; i < d; i++) p[i] = f->t0 ? VDI_VLOADT(schur + i * d, tail) : zero;
    for (int64_t t = f->t0; t < f->t1; t++) {
        VDI_T *L = (VDI_T *)f->L + t * d * d, *N = (VDI_T *)f->N + t * d * d;
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
                VDI__BT_UNROLL for (int i = 0; i < d; i++) p[i] = VDI_VFNMA(VDI_VSET1(column[j][i]), n, p[i]);
                VDI_PN(vdi__bt_row)(d, j, N, n);
            } else { /* the next block waits for this one */
                VDI__BT_UNROLL for (int i = 0; i < d; i++) p[i] = VDI_VFNMA(VDI_VMUL(VDI_VSET1(column[j][i]), e[j]), r, p[i]);
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

/* Blocks t0 .. t1 of one group: L and N hold D and E on entry (both turned over in rows), the factor on return. */
VDI_KERNEL bool VDI_PN(vdi__linalg_blocktri_factor)(const vdi__bt_factor *f) {
    const int64_t d = f->d, u = f->rows ? 1 : VDI__BT_LANES, dd = d * d * u;
    const int64_t r = f->rows ? d : 1, c = f->rows ? 1 : d; /* strides of a row and a column of U and N' */
    const int panel = f->rows ? VDI__BT_PIVOTS : VDI__BT_MR;
    VDI_T *gl = (VDI_T *)f->g, *gn = gl + dd;
    bool good = true;
#if VDI_W >= 4
    if (f->rows && d <= VDI_W) switch (d) {
        case 1: return VDI_PN(vdi__bt_chain)(1, f);
        case 2: return VDI_PN(vdi__bt_chain)(2, f);
        case 3: return VDI_PN(vdi__bt_chain)(3, f);
        case 4: return VDI_PN(vdi__bt_chain)(4, f);
#if VDI_W >= 8
        case 5: return VDI_PN(vdi__bt_chain)(5, f);
        case 6: return VDI_PN(vdi__bt_chain)(6, f);
        case 7: return VDI_PN(vdi__bt_chain)(7, f);
        case 8: return VDI_PN(vdi__bt_chain)(8, f);
#endif
        default: break;
        }
#endif
    vdi__bt_op l = VDI__ZERO, n = VDI__ZERO;
    l.rows = n.rows = f->rows;
    l.m = l.n = n.m = n.n = d;
    l.cr = l.br = l.outr = l.gr = n.cr = n.outr = n.gr = r;
    l.cc = l.bc = l.outc = l.gc = n.cc = n.outc = n.gc = c;
    l.a = gn, l.ar = c, l.ak = r;
    l.g = gl, n.g = gn;
    l.tri = n.tri = gl, l.tr = n.tr = c, l.tk = n.tk = r;
    l.qr = n.qr = d + 1;
    for (int64_t t = f->t0; t < f->t1; t++) {
        VDI_T *L = (VDI_T *)f->L + t * dd, *N = (VDI_T *)f->N + t * dd;
        l.c = l.post = n.post = L, l.out = L;
        l.b = N - dd, l.k = t > 0 ? d : 0;
        n.c = N, n.out = N;
        for (int w = 0; w < u; w += VDI_W) {
            for (int64_t i = 0; i < d; i += panel) {
                const int mr = (int)VDI__MIN((int64_t)panel, d - i);
                good &= VDI_PN(vdi__bt_diagonal_any)(&l, w, mr, i);
                VDI_PN(vdi__bt_panel)(&l, w, mr, i, i + (f->rows ? VDI_W : mr));
            }
            if (t + 1 < f->T)
                for (int64_t i = 0; i < d; i += VDI__BT_MR) VDI_PN(vdi__bt_panel)(&n, w, (int)VDI__MIN((int64_t)VDI__BT_MR, d - i), i, 0);
        }
    }
    return good;
}

/* Vectors through the factor of one group, in place: see VDI__BT_FORWARD and its kin. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_sweep)(const vdi__bt_sweep *s) {
    const int64_t d = s->d, u = s->rows ? 1 : VDI__BT_LANES, dd = d * d * u;
    const int64_t r = s->rows ? d : 1, c = s->rows ? 1 : d, step = d * s->ys * u;
    VDI_T *root = (VDI_T *)s->root;
    vdi__bt_op o = VDI__ZERO;
    o.rows = s->rows;
    o.m = d, o.n = s->n;
    if (s->what & VDI__BT_FORWARD) {
        o.cr = o.outr = o.br = s->ys;
        o.ar = o.tr = c, o.ak = o.tk = r;
        for (int64_t t = 0; t < s->T; t++) {
            o.c = o.out = (VDI_T *)s->y + t * step;
            o.b = (VDI_T *)s->y + (t - 1) * step;
            o.a = (const VDI_T *)s->N + (t - 1) * dd, o.k = t > 0 ? d : 0;
            o.tri = (const VDI_T *)s->L + t * dd;
            VDI_PN(vdi__linalg_blocktri_op)(&o);
        }
    }
    o.tri = NULL;
    for (int64_t t = s->T - 1; t >= 0; t--) {
        const VDI_T *L = (const VDI_T *)s->L + t * dd;
        VDI_T *y = (VDI_T *)s->y + t * step;
        const VDI_T *scale = L;
        int64_t sr = d + 1;
        if (s->what & VDI__BT_ROOT) { /* 1/p to 1/sqrt(p) */
            for (int64_t i = 0; i < d; i++)
                for (int w = 0; w < u; w += VDI_W) {
                    VDI_V x = VDI_VSQRT(VDI_PN(vdi__bt_get)(s->rows, L + w, i * (d + 1)));
                    if (s->rows) root[i] = VDI_PN(vdi__bt_first)(x);
                    else VDI_VSTORE(root + i * u + w, x);
                }
            scale = root, sr = 1;
        }
        if (s->what & VDI__BT_BACKWARD) { /* rows from the last to the first */
            o.c = o.out = y + (d - 1) * s->ys * u;
            o.cr = o.outr = -s->ys, o.br = s->ys;
            o.pre = scale + (d - 1) * sr * u, o.pr = -sr;
            o.a = (const VDI_T *)s->N + t * dd + (d - 1) * r * u, o.ar = -r, o.ak = c;
            o.b = y + step, o.k = t + 1 < s->T ? d : 0;
            o.tri = L + (d * d - 1) * u, o.tr = -r, o.tk = -c;
            VDI_PN(vdi__linalg_blocktri_op)(&o);
        } else {
            o.c = o.out = y, o.cr = o.outr = s->ys, o.k = 0;
            o.pre = scale, o.pr = sr;
            VDI_PN(vdi__linalg_blocktri_op)(&o);
        }
    }
}

/* dst[e][lane] = src[lane * stride + e] for e < count[lane], else 0; n elements. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_pack)(const void *src, int64_t stride, const int64_t *count, int64_t n, void *dst) {
    const VDI_T *x = (const VDI_T *)src;
    VDI_T *y = (VDI_T *)dst;
    int64_t full = n;
    for (int w = 0; w < VDI__BT_LANES; w++) full = VDI__MIN(full, count[w]);
    full -= full % VDI_TBLOCK;
    for (int64_t e = 0; e < full; e += VDI_TBLOCK)
        for (int w = 0; w < VDI__BT_LANES; w += VDI_TBLOCK)
            VDI_TRANSPOSE(x + w * stride + e, (size_t)stride, y + e * VDI__BT_LANES + w, (size_t)VDI__BT_LANES);
    for (int w = 0; w < VDI__BT_LANES; w++) {
        const int64_t some = VDI__MIN(n, count[w]);
        int64_t e = full;
        for (; e < some; e++) y[e * VDI__BT_LANES + w] = x[w * stride + e];
        for (; e < n; e++) y[e * VDI__BT_LANES + w] = 0;
    }
}

/* The way back: dst[lane * stride + e] = (e < count[lane] ? src[e][lane] : 0) for the first `used` lanes, or with `scale` not 0
   dst += scale * src where e < count[lane]. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_unpack)(const void *src, int64_t n, void *dst, int64_t stride, const int64_t *count, int64_t used,
                                                    double scale) {
    const VDI_T *x = (const VDI_T *)src;
    VDI_T *y = (VDI_T *)dst;
    const VDI_T s = VDI_C(scale);
    int64_t full = used == VDI__BT_LANES ? n : 0;
    for (int w = 0; w < VDI__BT_LANES; w++) full = VDI__MIN(full, count[w]);
    full -= full % VDI_TBLOCK;
    for (int64_t e = 0; e < full; e += VDI_TBLOCK)
        for (int w = 0; w < VDI__BT_LANES; w += VDI_TBLOCK) {
            if (scale == 0) {
                VDI_TRANSPOSE(x + e * VDI__BT_LANES + w, (size_t)VDI__BT_LANES, y + w * stride + e, (size_t)stride);
            } else {
                VDI_T turned[VDI_TBLOCK * VDI_TBLOCK];
                VDI_TRANSPOSE(x + e * VDI__BT_LANES + w, (size_t)VDI__BT_LANES, turned, (size_t)VDI_TBLOCK);
                for (int i = 0; i < VDI_TBLOCK; i++)
                    for (int j = 0; j < VDI_TBLOCK; j++) {
                        VDI_T *p = y + (w + i) * stride + e + j;
                        *p = *p + s * turned[i * VDI_TBLOCK + j];
                    }
            }
        }
    for (int w = 0; w < used; w++) {
        const int64_t some = VDI__MIN(n, count[w]);
        int64_t e = full;
        for (; e < some; e++) {
            VDI_T v = x[e * VDI__BT_LANES + w];
            y[w * stride + e] = scale == 0 ? v : y[w * stride + e] + s * v;
        }
        if (scale == 0)
            for (; e < n; e++) y[w * stride + e] = 0;
    }
}

/* dst = src turned over, `count` blocks (d,d); with `lower` only what stands on and under the diagonal of src needs to arrive. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_turn)(int64_t count, int64_t d, bool lower, const void *src, void *dst) {
    const int64_t full = d - d % VDI_TBLOCK;
    for (int64_t t = 0; t < count; t++) {
        const VDI_T *x = (const VDI_T *)src + t * d * d;
        VDI_T *y = (VDI_T *)dst + t * d * d;
        for (int64_t i = 0; i < full; i += VDI_TBLOCK)
            for (int64_t j = 0; j < (lower ? i + 1 : full); j += VDI_TBLOCK) VDI_TRANSPOSE(x + i * d + j, (size_t)d, y + j * d + i, (size_t)d);
        for (int64_t i = 0; full < d && i < d; i++)
            for (int64_t j = i < full ? full : 0; j < d; j++) y[j * d + i] = x[i * d + j];
    }
}

/* Elementwise work on (d,d) blocks, out row-major. Strides as in vdi__bt_op. */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_map)(vdi__bt_kind kind, bool rows, int64_t d, const void *x, int64_t xr, int64_t xc, const void *y,
                                                 int64_t yr, int64_t yc, double scale, void *out) {
    const int64_t u = rows ? 1 : VDI__BT_LANES;
    const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(u, (int64_t)VDI_W));
    const VDI_V s = VDI_VSET1(VDI_C(scale));
    for (int w = 0; w < u; w += VDI_W)
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j < d; j++) {
                const VDI_T *p = (const VDI_T *)x + w + (i * xr + j * xc) * u;
                const VDI_T *q = (const VDI_T *)y + w + (i * yr + j * yc) * u;
                VDI_V v = VDI_VZERO();
                switch (kind) {
                case VDI__BT_SUM: v = VDI_VMUL(s, VDI_VADD(VDI_VLOADT(p, tail), VDI_VLOADT(q, tail))); break;
                case VDI__BT_SCALE: v = VDI_VMUL(s, VDI_VLOADT(p, tail)); break;
                case VDI__BT_PRODUCT: v = VDI_VMUL(VDI_VLOADT(p, tail), VDI_VLOADT(q, tail)); break;
                case VDI__BT_ROOT_ROWS: v = VDI_VMUL(VDI_VLOADT(p, tail), VDI_VSQRT(VDI_VLOADT(q, tail))); break;
                case VDI__BT_ROOT_COLUMNS: /* an upper triangle, y the diagonal of 1/p: back to Cholesky's own columns */
                    if (j > i) v = VDI_VDIV(VDI_VLOADT(p, tail), VDI_VSQRT(VDI_VLOADT(q, tail)));
                    else if (j == i) v = VDI_VDIV(VDI_VSET1(1), VDI_VSQRT(VDI_VLOADT(q, tail)));
                    break;
                case VDI__BT_ROOT_DIVIDE: v = VDI_VDIV(VDI_VLOADT(p, tail), VDI_VSQRT(VDI_VLOADT(q, tail))); break;
                case VDI__BT_UNIT: v = j < i ? VDI_VLOADT(p, tail) : VDI_VSET1(VDI_C(i == j)); break;
                case VDI__BT_HALF: /* upper triangle, half the diagonal */
                    if (j >= i) v = VDI_VLOADT(p, tail);
                    if (j == i) v = VDI_VMUL(v, VDI_VSET1(VDI_C(0.5)));
                    break;
                }
                VDI_VSTORET((VDI_T *)out + w + (i * d + j) * u, tail, v);
            }
}

/* dst += scale * src */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_add)(int64_t n, double scale, const void *src, void *dst) {
    const VDI_V s = VDI_VSET1(VDI_C(scale));
    for (int64_t i = 0; i < n; i += VDI_W) {
        const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(n - i, (int64_t)VDI_W));
        VDI_T *y = (VDI_T *)dst + i;
        VDI_VSTORET(y, tail, VDI_VFMA(s, VDI_VLOADT((const VDI_T *)src + i, tail), VDI_VLOADT(y, tail)));
    }
}

/* y = J x for one trial of T blocks: y_t = D_t x_t + E_{t-1} x_{t-1} + E_t' x_{t+1} */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_matvec)(int64_t d, int64_t T, const void *D, const void *E, const void *x, void *y) {
    for (int64_t t = 0; t < T; t++) {
        const VDI_T *xt = (const VDI_T *)x + t * d, *Dt = (const VDI_T *)D + t * d * d, *Et = (const VDI_T *)E + t * d * d;
        VDI_T *yt = (VDI_T *)y + t * d;
        for (int64_t j = 0; j < d; j += VDI_W) {
            const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(d - j, (int64_t)VDI_W));
            VDI_V sum = VDI_VZERO();
            for (int64_t i = 0; i < d; i++) sum = VDI_VFMA(VDI_VSET1(xt[i]), VDI_VLOADT(Dt + i * d + j, tail), sum);
            if (t + 1 < T)
                for (int64_t i = 0; i < d; i++) sum = VDI_VFMA(VDI_VSET1(xt[d + i]), VDI_VLOADT(Et + i * d + j, tail), sum);
            VDI_VSTORET(yt + j, tail, sum);
        }
        if (t > 0)
            for (int64_t i = 0; i < d; i++) {
                VDI_V sum = VDI_VZERO();
                for (int64_t j = 0; j < d; j += VDI_W) {
                    const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(d - j, (int64_t)VDI_W));
                    sum = VDI_VFMA(VDI_VLOADT(Et - d * d + i * d + j, tail), VDI_VLOADT(xt - d + j, tail), sum);
                }
                yt[i] += VDI_VHADD(sum);
            }
    }
}

/* sum over pivots of log(1/p) per lane, as a product of mantissas and a sum of exponents: one logarithm at the end. sums: (lanes) */
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_logs)(const void *L, int64_t d, int64_t T, double *sums) {
    const VDI_I one = VDI_ISET1((VDI_IT)VDI_EMAX << VDI_MANT), mask = VDI_ISET1(((VDI_IT)1 << VDI_MANT) - 1);
    for (int w = 0; w < VDI__BT_LANES; w += VDI_W) {
        VDI_V product = VDI_VSET1(1);
        VDI_I exponents = VDI_ISET1(0);
        VDI_T mantissa[VDI_W];
        VDI_IT power[VDI_W];
        for (int64_t i = 0; i < T * d; i++) {
            const VDI_T *p = (const VDI_T *)L + w + ((i / d) * d * d + (i % d) * (d + 1)) * VDI__BT_LANES;
            VDI_I bits = VDI_VBITS(VDI_VLOAD(p));
            exponents = VDI_IADD(exponents, VDI_ISUB(VDI_ISHR(bits, VDI_MANT), VDI_ISET1(VDI_EMAX)));
            product = VDI_VMUL(product, VDI_IBITS(VDI_IOR(VDI_IAND(bits, mask), one)));
            if ((i & 31) == 31 || i + 1 == T * d) {
                bits = VDI_VBITS(product);
                exponents = VDI_IADD(exponents, VDI_ISUB(VDI_ISHR(bits, VDI_MANT), VDI_ISET1(VDI_EMAX)));
                product = VDI_IBITS(VDI_IOR(VDI_IAND(bits, mask), one));
            }
        }
        VDI_VSTORE(mantissa, product);
        product = VDI_IBITS(exponents);
        memcpy(power, &product, sizeof power);
        for (int v = 0; v < VDI_W; v++) sums[w + v] = log((double)mantissa[v]) + (double)power[v] * 0.69314718055994530942;
    }
}

#undef VDI__BT_LANES
#undef VDI__BT_MR
#undef VDI__BT_NV
#undef VDI__BT_UNROLL
#undef VDI__BT_PIVOTS
