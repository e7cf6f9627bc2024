/* linalg/blocktri_tile_body.h - block algebra of the block-tridiagonal solver: register tiles; one
 * pass
 *
 * One tile carries nearly everything. It holds up to 4 x 4 vectors of C in registers, subtracts a
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
/* Rows and most vectors of a tile of lanes. Fewer rows cost the same, since a chain waits for
 * itself; compile time counts: each width is compiled for both layouts of each pass. */
#define VDI__BT_MR (VDI_FALLBACK ? 2 : 4)
#define VDI__BT_NV (VDI_REGISTERS == 32 ? 4 : 2)
/* The same in rows. Eight rows of one vector keep two units for products busy, and read half as
 * much. */
#define VDI__BT_HIGH (VDI_REGISTERS == 32 && VDI_W >= 8 ? 8 : VDI__BT_MR)
#define VDI__BT_WIDE (VDI__BT_HIGH == 8 ? 2 : VDI__BT_NV)
/* Pivots that one tile of rows takes at once. */
#define VDI__BT_PIVOTS (VDI_W == 1 ? 1 : VDI__BT_HIGH)

/* Lane j of a vector, in every lane. */
VDI_LOCAL VDI_V VDI_PN(vdi__bt_lane)(VDI_V v, int j) {
#ifdef VDI_VLANE
    return VDI_VLANE(v, j);
#else
    VDI_T x[VDI_W];
    VDI_VSTORE(x, v);
    return VDI_VSET1(x[j]);
#endif
}

/* 1 over lane j, in every lane: one number is divided sooner than 64 bytes are. */
VDI_LOCAL VDI_V VDI_PN(vdi__bt_reciprocal)(VDI_V v, int j) {
    const VDI_V x = VDI_PN(vdi__bt_lane)(v, j);
    return sizeof(VDI_V) > 32 ? VDI_VSET1(1 / VDI_VFIRST(x)) : VDI_VDIV(VDI_VSET1(1), x);
}

/* What a vector of a tile is: elements of lanes, a piece of a row, or the one number of a single
   column, kept out of masked stores, for which the next load would wait. */
#define VDI__BT_ELEMENT 0
#define VDI__BT_ROW 1
#define VDI__BT_NUMBER 2
VDI_LOCAL VDI_V VDI_PN(vdi__bt_load)(int mode, bool last, const VDI_T *p, VDI_TAIL tail) {
    if (mode == VDI__BT_NUMBER) return VDI_VSET1(*p);
    if (VDI_MASKS && mode == VDI__BT_ROW && last) return VDI_VLOADT(p, tail);
    return VDI_VLOAD(p);
}
VDI_LOCAL void VDI_PN(vdi__bt_store)(int mode, bool last, VDI_T *p, VDI_TAIL tail, bool whole,
                                     VDI_V v) {
    if (mode == VDI__BT_NUMBER) {
        *p = VDI_VFIRST(v);
    } else if (VDI_MASKS && mode == VDI__BT_ROW && last && !whole) {
        /* slow on some processors even */
        VDI_VSTORET(p, tail, v); /* with a full mask */
    } else {
        VDI_VSTORE(p, v);
    }
}
/* The same to where a row is not padded. */
VDI_LOCAL void VDI_PN(vdi__bt_store_part)(int mode, bool last, VDI_T *p, VDI_TAIL tail, bool whole,
                                          VDI_V v) {
    if (!VDI_MASKS && mode == VDI__BT_ROW && last && !whole)
        VDI_VSTORET(p, tail, v);
    else
        VDI_PN(vdi__bt_store)(mode, last, p, tail, whole, v);
}

/* Where one tile of a request begins, and how many of its rows are there. Two chains of products
   are subtracted: A B, and the rows above that are solved already. A tile of `pivots` (in rows) has
   the triangle itself in its first columns. */
typedef struct VDI_PN(vdi__bt_spot) {
    int rows;
    bool pivots;
    const VDI_T *c, *pre, *a[2], *b[2], *tri, *post;
    VDI_T *out, *scaled;
    int64_t k[2];
} VDI_PN(vdi__bt_spot);

/* The rows of a tile take each other: U' diag(p) U of what its first columns hold. The rows p U
   go to o->out, those of U, with 1/p on the diagonal, to o->scaled. False where a pivot is not
   positive or its reciprocal not finite. */
VDI_LOCAL bool VDI_PN(vdi__bt_eliminate)(int mode, int mr, int nv, const vdi__bt_op *o,
                                         const VDI_PN(vdi__bt_spot) *at, VDI_TAIL tail, bool whole,
                                         VDI_V acc[VDI__BT_HIGH][VDI__BT_NV]) {
    const VDI_V zero = VDI_VZERO(), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    const int most = mode == VDI__BT_NUMBER ? 1 : VDI__MIN(mr, VDI__BT_PIVOTS);
    VDI_M ok = VDI_VGE(zero, zero);
    VDI__UNROLL for (int j = 0; j < most; j++) {
        if (j == at->rows) break;
        VDI_T *out = at->out + j * o->out->row, *scaled = at->scaled + j * o->scaled->row;
        VDI__UNROLL for (int v = 0; v < nv; v++) {
            VDI_PN(vdi__bt_store)(mode, v == nv - 1, out + v * VDI_W, tail, whole, acc[j][v]);
        }
        const VDI_V r = VDI_PN(vdi__bt_reciprocal)(acc[j][j / VDI_W % nv], j % VDI_W);
        ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
        VDI__UNROLL for (int i = j + 1; i < most; i++) {
            const VDI_V f = VDI_PN(vdi__bt_lane)(acc[j][i / VDI_W % nv], i % VDI_W);
            const VDI_V m = VDI_VMUL(f, r);
            VDI__UNROLL for (int v = 0; v < nv; v++) {
                if (v * VDI_W < most) /* the next pivot: nothing waits for m */
                    acc[i][v] = VDI_VFNMA(VDI_VMUL(f, acc[j][v]), r, acc[i][v]);
                else
                    acc[i][v] = VDI_VFNMA(m, acc[j][v], acc[i][v]);
            }
        }
        VDI__UNROLL for (int v = 0; v < nv; v++) {
            VDI_PN(vdi__bt_store_part)
            (mode, v == nv - 1, scaled + v * VDI_W, tail, whole, VDI_VMUL(acc[j][v], r));
        }
        scaled[j] = VDI_VFIRST(r);
    }
    const VDI_M bad = VDI_MNOT(ok);
    return !VDI_MANY(bad);
}

/* mode, mr and nv are constants after inlining. Rows that are not there repeat the first one and
   are not stored; in rows, tail masks the last vector, which is `whole` or not. Returns what
   vdi__bt_eliminate returns, or true. */
VDI_LOCAL bool VDI_PN(vdi__bt_tile)(int mode, int mr, int nv, const vdi__bt_op *o,
                                    const VDI_PN(vdi__bt_spot) *at, VDI_TAIL tail, bool whole) {
    const bool broadcast = mode != VDI__BT_ELEMENT;
    const int64_t cs = broadcast ? VDI_W : o->c ? o->c->column : 0, cr = o->c ? o->c->row : 0;
    const int64_t os = broadcast ? VDI_W : o->out->column;
    const int rows = at->rows;
    VDI_V acc[VDI__BT_HIGH][VDI__BT_NV];
    VDI__UNROLL for (int i = 0; i < mr; i++) {
        const VDI_T *c = at->c + (i < rows ? i : 0) * cr;
        VDI__UNROLL for (int v = 0; v < nv; v++) {
            acc[i][v] =
                at->c ? VDI_PN(vdi__bt_load)(mode, v == nv - 1, c + v * cs, tail) : VDI_VZERO();
        }
    }
    if (o->pre) {
        VDI__UNROLL for (int i = 0; i < mr; i++) {
            const VDI_T *p = at->pre + (i < rows ? i : 0) * o->pre->row;
            const VDI_V f = broadcast ? VDI_VSET1(*p) : VDI_VLOAD(p);
            VDI__UNROLL for (int v = 0; v < nv; v++) acc[i][v] = VDI_VMUL(acc[i][v], f);
        }
    }
    for (int n = 0; n < 2; n++) {
        if (at->k[n] == 0) continue;
        const vdi__matrix *left = n ? o->tri : o->a;
        const int64_t ar = left->row, ak = left->column, br = n ? o->out->row : o->b->row;
        const int64_t bs = broadcast ? VDI_W : n ? o->out->column : o->b->column;
        const VDI_T *b = at->b[n], *a[VDI__BT_HIGH];
        int64_t offset = 0;
        VDI__UNROLL for (int i = 0; i < mr; i++) a[i] = at->a[n] + (i < rows ? i : 0) * ar;
        for (int64_t k = at->k[n]; k > 0; k--, offset += ak, b += br) {
            VDI_V row[VDI__BT_NV];
            VDI__UNROLL for (int v = 0; v < nv; v++) {
                row[v] = VDI_PN(vdi__bt_load)(mode, v == nv - 1, b + v * bs, tail);
            }
            VDI__UNROLL for (int i = 0; i < mr; i++) {
                const VDI_V f = broadcast ? VDI_VSET1(a[i][offset]) : VDI_VLOAD(a[i] + offset);
                VDI__UNROLL for (int v = 0; v < nv; v++) {
                    acc[i][v] = VDI_VFNMA(f, row[v], acc[i][v]);
                }
            }
        }
    }
    if (broadcast && at->pivots)
        return VDI_PN(vdi__bt_eliminate)(mode, mr, nv, o, at, tail, whole, acc);
    if (o->tri) {
        VDI__UNROLL for (int i = 1; i < mr; i++) {
            if (i >= rows) break;
            VDI__UNROLL for (int j = 0; j < i; j++) {
                const VDI_T *p = at->tri + i * o->tri->row + j * o->tri->column;
                const VDI_V f = broadcast ? VDI_VSET1(*p) : VDI_VLOAD(p);
                VDI__UNROLL for (int v = 0; v < nv; v++) {
                    acc[i][v] = VDI_VFNMA(f, acc[j][v], acc[i][v]);
                }
            }
        }
    }
    VDI__UNROLL for (int i = 0; i < mr; i++) {
        if (i == rows) break;
        VDI__UNROLL for (int v = 0; v < nv; v++) {
            VDI_PN(vdi__bt_store)
            (mode, v == nv - 1, at->out + i * o->out->row + v * os, tail, whole, acc[i][v]);
        }
    }
    if (!o->scaled) return true;
    const int64_t ss = broadcast ? VDI_W : o->scaled->column;
    VDI__UNROLL for (int i = 0; i < mr; i++) {
        if (i == rows) break;
        const VDI_T *p = at->post + i * o->post->row;
        const VDI_V f = broadcast ? VDI_VSET1(*p) : VDI_VLOAD(p);
        VDI__UNROLL for (int v = 0; v < nv; v++) {
            VDI_PN(vdi__bt_store_part)
            (mode, v == nv - 1, at->scaled + i * o->scaled->row + v * ss, tail, whole,
             VDI_VMUL(acc[i][v], f));
        }
    }
    return true;
}

VDI_SHARED bool VDI_PN(vdi__bt_tile_lanes)(const vdi__bt_op *o, const VDI_PN(vdi__bt_spot) *at,
                                           int nv) {
    const VDI_TAIL tail = VDI_VTAIL(VDI_W);
    if (nv == 1) return VDI_PN(vdi__bt_tile)(VDI__BT_ELEMENT, VDI__BT_MR, 1, o, at, tail, true);
#if VDI__BT_NV == 4
    if (nv == 4) return VDI_PN(vdi__bt_tile)(VDI__BT_ELEMENT, VDI__BT_MR, 4, o, at, tail, true);
#endif
    return VDI_PN(vdi__bt_tile)(VDI__BT_ELEMENT, VDI__BT_MR, 2, o, at, tail, true);
}
#if VDI_W > 1
/* `last`: reals of the last vector. (A mask as an argument would cost more: gcc then leaves the
 * upper halves of the registers in use, and what follows has to wait for them.) */
VDI_SHARED bool VDI_PN(vdi__bt_tile_rows)(const vdi__bt_op *o, const VDI_PN(vdi__bt_spot) *at,
                                          int nv, int last) {
    const VDI_TAIL tail = VDI_VTAIL(last);
    const bool whole = last == VDI_W;
    if (nv == 1) return VDI_PN(vdi__bt_tile)(VDI__BT_ROW, VDI__BT_HIGH, 1, o, at, tail, whole);
#if VDI__BT_WIDE == 4
    if (nv == 4) return VDI_PN(vdi__bt_tile)(VDI__BT_ROW, VDI__BT_HIGH, 4, o, at, tail, whole);
#endif
    return VDI_PN(vdi__bt_tile)(VDI__BT_ROW, VDI__BT_HIGH, 2, o, at, tail, whole);
}
#endif
VDI_SHARED bool VDI_PN(vdi__bt_tile_number)(const vdi__bt_op *o, const VDI_PN(vdi__bt_spot) *at) {
    return VDI_PN(vdi__bt_tile)(VDI__BT_NUMBER, VDI__BT_HIGH, 1, o, at, VDI_VTAIL(1), false);
}

/* into the second cache: there are few places to wait for the first one */
#if VDI__GNU && !defined(__TINYC__)
#define VDI__BT_PREFETCH(p) __builtin_prefetch(p, 0, 2)
#else
#define VDI__BT_PREFETCH(p) ((void)(p))
#endif

/* What the factor of one trial will need: blocks of D and E, and where the next block's factor
 * goes. Each tile asks memory for `share` rows more. */
typedef struct VDI_PN(vdi__bt_ahead) {
    const VDI_T *D, *E;
    const VDI_T *L, *N;
    int64_t d, row, share;
} VDI_PN(vdi__bt_ahead);
VDI_SHARED void VDI_PN(vdi__bt_ask)(VDI_PN(vdi__bt_ahead) *s) {
    const int64_t d = s->d, end = VDI__MIN(d, s->row + s->share);
    for (; s->row < end; s->row++) {
        const int64_t at = s->row * d, on = s->row / VDI__BT_LANES * VDI__BT_LANES;
        for (int64_t j = 0; s->D && j <= on; j += VDI__BT_LANES)
            VDI__BT_PREFETCH(s->D + at + j);
        for (int64_t j = 0; s->E && j < d; j += VDI__BT_LANES)
            VDI__BT_PREFETCH(s->E + at + j);
        for (int64_t j = on; j < d; j += VDI__BT_LANES)
            VDI__BT_PREFETCH(s->L + at + j);
        for (int64_t j = 0; j < d; j += VDI__BT_LANES)
            VDI__BT_PREFETCH(s->N + at + j);
    }
}

/* Rows i0 .. i0+rows and columns j0 .. n of a request; w is the first lane. With `pivots` the first
   tile takes the triangle at (i0,j0). */
VDI_SHARED bool VDI_PN(vdi__bt_panel)(const vdi__bt_op *o, VDI_PN(vdi__bt_ahead) *ahead,
                                      bool pivots, int w, int rows, int64_t i0, int64_t j0) {
    const int64_t width = o->rows ? VDI_W : 1;
    const bool full = VDI_MASKS || o->padded || !o->rows; /* no number beside the vectors */
    const int64_t most = o->rows ? VDI__BT_WIDE : VDI__BT_NV;
    bool good = true;
    VDI_PN(vdi__bt_spot) s;
    s.rows = rows;
    s.pivots = pivots;
    s.pre = o->pre ? (const VDI_T *)o->pre->data + w + i0 * o->pre->row : NULL;
    s.post = o->post ? (const VDI_T *)o->post->data + w + i0 * o->post->row : NULL;
    s.k[0] = o->k;
    s.a[0] = o->k ? (const VDI_T *)o->a->data + w + i0 * o->a->row : NULL;
    s.k[1] = o->tri ? i0 : 0;
    s.a[1] = o->tri ? (const VDI_T *)o->tri->data + w + i0 * o->tri->row : NULL;
    s.tri = o->tri ? s.a[1] + i0 * o->tri->column : NULL;
    for (int64_t j = j0, nv, done; j < o->n; j += done) {
        const int64_t left = o->n - j, vectors = o->rows ? (left + VDI_W - 1) / VDI_W : left;
        const bool number = o->rows && (VDI_W == 1 || left == 1 || (!full && left < VDI_W));
        const int64_t whole = full ? vectors : left / VDI_W;
        nv = number || whole < 2 ? 1 : whole >= most ? most : 2;
        s.c = o->c ? (const VDI_T *)o->c->data + w + i0 * o->c->row + j * o->c->column : NULL;
        s.b[0] = o->k ? (const VDI_T *)o->b->data + w + j * o->b->column : NULL;
        s.b[1] = (const VDI_T *)o->out->data + w + j * o->out->column;
        s.out = (VDI_T *)o->out->data + w + j * o->out->column + i0 * o->out->row;
        s.scaled = o->scaled
                       ? (VDI_T *)o->scaled->data + w + j * o->scaled->column + i0 * o->scaled->row
                       : NULL;
        done = number ? 1 : nv * width;
        if (number) {
            good &= VDI_PN(vdi__bt_tile_number)(o, &s);
        } else if (!o->rows) {
            VDI_PN(vdi__bt_tile_lanes)(o, &s, (int)nv);
        } else {
#if VDI_W > 1
            good &= VDI_PN(vdi__bt_tile_rows)(o, &s, (int)nv,
                                              (int)VDI__MIN(left - (nv - 1) * width, width));
#endif
        }
        s.pivots = false;
        if (ahead && ahead->share) VDI_PN(vdi__bt_ask)(ahead);
    }
    return good;
}

VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_op)(const vdi__bt_op *o) {
    const int64_t high = o->rows ? VDI__BT_HIGH : VDI__BT_MR;
    for (int w = 0; w < (o->rows ? 1 : VDI__BT_LANES); w += VDI_W) {
        for (int64_t i = 0; i < o->m; i += high) {
            const int rows = (int)VDI__MIN(o->m - i, high);
            VDI_PN(vdi__bt_panel)(o, NULL, false, w, rows, i, 0);
        }
    }
}

/* Lanes: the n x n pivots on the diagonal at i0, S - (what stands before) = U' diag(p) U. The rows
   p U go to o->out, the rows of U with 1/p on their diagonal to o->scaled, where S stands on entry.
   Returns false if a pivot is not positive or its reciprocal is not finite. */
VDI_SHARED bool VDI_PN(vdi__bt_diagonal)(const vdi__bt_op *o, int w, int n, int64_t i0) {
    const int64_t sr = o->scaled->row, sc = o->scaled->column;
    const VDI_V zero = VDI_VZERO(), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    VDI_V acc[VDI__BT_MR][VDI__BT_MR];
    VDI_M ok = VDI_VGE(zero, zero);
    VDI_T *out = (VDI_T *)o->out->data + w + i0 * (o->out->row + o->out->column);
    VDI_T *scaled = (VDI_T *)o->scaled->data + w + i0 * (sr + sc);
    VDI__UNROLL for (int i = 0; i < VDI__BT_MR; i++) {
        VDI__UNROLL for (int v = i; v < VDI__BT_MR; v++) {
            acc[i][v] = VDI_VLOAD(scaled + (i < n ? i : 0) * sr + (v < n ? v : 0) * sc);
        }
    }
    for (int chain = 0; chain < 2; chain++) {
        if ((chain ? i0 : o->k) == 0) continue;
        const vdi__matrix *left = chain ? o->tri : o->a;
        const int64_t br = chain ? o->out->row : o->b->row;
        const int64_t bc = chain ? o->out->column : o->b->column;
        const VDI_T *b = (const VDI_T *)(chain ? o->out->data : o->b->data) + w + i0 * bc;
        const VDI_T *a[VDI__BT_MR];
        int64_t offset = 0;
        VDI__UNROLL for (int i = 0; i < VDI__BT_MR; i++) {
            a[i] = (const VDI_T *)left->data + w + (i0 + (i < n ? i : 0)) * left->row;
        }
        for (int64_t k = chain ? i0 : o->k; k > 0; k--, offset += left->column, b += br) {
            VDI_V row[VDI__BT_MR];
            VDI__UNROLL for (int v = 0; v < VDI__BT_MR; v++) {
                row[v] = VDI_VLOAD(b + (v < n ? v : 0) * bc);
            }
            VDI__UNROLL for (int i = 0; i < VDI__BT_MR; i++) {
                const VDI_V f = VDI_VLOAD(a[i] + offset);
                VDI__UNROLL for (int v = i; v < VDI__BT_MR; v++) {
                    acc[i][v] = VDI_VFNMA(f, row[v], acc[i][v]);
                }
            }
        }
    }
    VDI__UNROLL for (int j = 0; j < VDI__BT_MR; j++) {
        if (j == n) break;
        const VDI_V r = VDI_VDIV(VDI_VSET1(1), acc[j][j]);
        ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
        /* the products do not wait for the quotient */
        VDI__UNROLL for (int i = j + 1; i < VDI__BT_MR; i++) {
            VDI__UNROLL for (int v = i; v < VDI__BT_MR; v++) {
                acc[i][v] = VDI_VFNMA(VDI_VMUL(acc[j][i], acc[j][v]), r, acc[i][v]);
            }
        }
        VDI__UNROLL for (int v = j; v < VDI__BT_MR; v++) {
            if (v == n) break;
            VDI_VSTORE(out + j * o->out->row + v * o->out->column, acc[j][v]);
            VDI_VSTORE(scaled + j * sr + v * sc, v == j ? r : VDI_VMUL(acc[j][v], r));
        }
    }
    const VDI_M bad = VDI_MNOT(ok);
    return !VDI_MANY(bad);
}

/* Lanes: one block of the factor from the top row down: pivots, and what stands right of them. */
VDI_KERNEL bool VDI_PN(vdi__linalg_blocktri_pivots)(const vdi__bt_op *o) {
    bool good = true;
    for (int w = 0; w < VDI__BT_LANES; w += VDI_W) {
        for (int64_t i = 0, n; i < o->m; i += n) {
            n = o->m - i; /* pivots of one block are rounded together: 4, 2 or 1 */
            n = n >= VDI__BT_MR ? VDI__BT_MR : n >= 2 ? 2 : 1;
            good &= VDI_PN(vdi__bt_diagonal)(o, w, (int)n, i);
            VDI_PN(vdi__bt_panel)(o, NULL, false, w, (int)n, i, i + n);
        }
    }
    return good;
}
#undef VDI__BT_PREFETCH
#undef VDI__BT_ELEMENT
#undef VDI__BT_ROW
#undef VDI__BT_NUMBER
