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
/* Rows and most vectors of a tile. Fewer rows cost the same, since a chain waits for itself;
 * compile time counts: each width is compiled for both layouts of each pass. */
#define VDI__BT_MR (VDI_FALLBACK ? 2 : 4)
#define VDI__BT_NV (VDI_REGISTERS == 32 ? 4 : 2)
/* Pivots taken at once in rows; without masks what is left of a row goes number by number. */
#define VDI__BT_PIVOTS (VDI_MASKS ? VDI__BT_MR : 1)

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

/* Where one tile of a request begins, and how many of its rows are there. Two chains of products
   are subtracted: A B, and the rows above that are solved already. */
typedef struct VDI_PN(vdi__bt_spot) {
    int rows;
    const VDI_T *c, *pre, *a[2], *b[2], *tri, *post;
    VDI_T *out, *scaled;
    int64_t k[2];
} VDI_PN(vdi__bt_spot);

/* mode and nv are constants after inlining. Rows that are not there repeat the first one and are
   not stored; in rows, tail masks the last vector, which is `whole` or not. */
VDI_LOCAL void VDI_PN(vdi__bt_tile)(int mode, int nv, const vdi__bt_op *o,
                                    const VDI_PN(vdi__bt_spot) *at, VDI_TAIL tail, bool whole) {
    const bool broadcast = mode != VDI__BT_ELEMENT;
    const int64_t cs = broadcast ? VDI_W : o->c ? o->c->column : 0, cr = o->c ? o->c->row : 0;
    const int64_t os = broadcast ? VDI_W : o->out->column;
    const int rows = at->rows;
    VDI_V acc[VDI__BT_MR][VDI__BT_NV];
    VDI__UNROLL for (int i = 0; i < VDI__BT_MR; i++) {
        const VDI_T *c = at->c + (i < rows ? i : 0) * cr;
        VDI__UNROLL for (int v = 0; v < nv; v++) {
            acc[i][v] =
                at->c ? VDI_PN(vdi__bt_load)(mode, v == nv - 1, c + v * cs, tail) : VDI_VZERO();
        }
    }
    if (o->pre) {
        VDI__UNROLL for (int i = 0; i < VDI__BT_MR; i++) {
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
        const VDI_T *b = at->b[n], *a[VDI__BT_MR];
        int64_t offset = 0;
        VDI__UNROLL for (int i = 0; i < VDI__BT_MR; i++) a[i] = at->a[n] + (i < rows ? i : 0) * ar;
        for (int64_t k = at->k[n]; k > 0; k--, offset += ak, b += br) {
            VDI_V row[VDI__BT_NV];
            VDI__UNROLL for (int v = 0; v < nv; v++) {
                row[v] = VDI_PN(vdi__bt_load)(mode, v == nv - 1, b + v * bs, tail);
            }
            VDI__UNROLL for (int i = 0; i < VDI__BT_MR; i++) {
                const VDI_V f = broadcast ? VDI_VSET1(a[i][offset]) : VDI_VLOAD(a[i] + offset);
                VDI__UNROLL for (int v = 0; v < nv; v++) {
                    acc[i][v] = VDI_VFNMA(f, row[v], acc[i][v]);
                }
            }
        }
    }
    if (o->tri) {
        VDI__UNROLL for (int i = 1; i < VDI__BT_MR; i++) {
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
    VDI__UNROLL for (int i = 0; i < VDI__BT_MR; i++) {
        if (i == rows) break;
        VDI__UNROLL for (int v = 0; v < nv; v++) {
            VDI_PN(vdi__bt_store)
            (mode, v == nv - 1, at->out + i * o->out->row + v * os, tail, whole, acc[i][v]);
        }
    }
    if (!o->scaled) return;
    const int64_t ss = broadcast ? VDI_W : o->scaled->column;
    VDI__UNROLL for (int i = 0; i < VDI__BT_MR; i++) {
        if (i == rows) break;
        const VDI_T *p = at->post + i * o->post->row;
        const VDI_V f = broadcast ? VDI_VSET1(*p) : VDI_VLOAD(p);
        VDI__UNROLL for (int v = 0; v < nv; v++) {
            VDI_PN(vdi__bt_store)
            (mode, v == nv - 1, at->scaled + i * o->scaled->row + v * ss, tail, whole,
             VDI_VMUL(acc[i][v], f));
        }
    }
}

#if VDI__BT_NV == 4
#define VDI__BT_WIDTHS(mode, tail, whole)                              \
    switch (nv) {                                                      \
    case 1: VDI_PN(vdi__bt_tile)(mode, 1, o, at, tail, whole); break;  \
    case 2: VDI_PN(vdi__bt_tile)(mode, 2, o, at, tail, whole); break;  \
    default: VDI_PN(vdi__bt_tile)(mode, 4, o, at, tail, whole); break; \
    }
#else
#define VDI__BT_WIDTHS(mode, tail, whole)                  \
    if (nv == 1)                                           \
        VDI_PN(vdi__bt_tile)(mode, 1, o, at, tail, whole); \
    else                                                   \
        VDI_PN(vdi__bt_tile)(mode, 2, o, at, tail, whole);
#endif
VDI_SHARED void VDI_PN(vdi__bt_tile_lanes)(const vdi__bt_op *o, const VDI_PN(vdi__bt_spot) *at,
                                           int nv) {
    VDI__BT_WIDTHS(VDI__BT_ELEMENT, VDI_VTAIL(VDI_W), true)
}
#if VDI_W > 1
/* `last`: reals of the last vector. (A mask as an argument would cost more: gcc then leaves the
 * upper halves of the registers in use, and what follows has to wait for them.) */
VDI_SHARED void VDI_PN(vdi__bt_tile_rows)(const vdi__bt_op *o, const VDI_PN(vdi__bt_spot) *at,
                                          int nv, int last) {
    const VDI_TAIL tail = VDI_VTAIL(last);
    const bool whole = last == VDI_W;
    VDI__BT_WIDTHS(VDI__BT_ROW, tail, whole)
}
#endif
VDI_SHARED void VDI_PN(vdi__bt_tile_number)(const vdi__bt_op *o, const VDI_PN(vdi__bt_spot) *at) {
    VDI_PN(vdi__bt_tile)(VDI__BT_NUMBER, 1, o, at, VDI_VTAIL(1), false);
}
#undef VDI__BT_WIDTHS

/* Rows i0 .. i0+rows and columns j0 .. n of a request; w is the first lane. */
VDI_SHARED void VDI_PN(vdi__bt_panel)(const vdi__bt_op *o, int w, int rows, int64_t i0,
                                      int64_t j0) {
    const int64_t width = o->rows ? VDI_W : 1;
    VDI_PN(vdi__bt_spot) s;
    s.rows = rows;
    s.pre = o->pre ? (const VDI_T *)o->pre->data + w + i0 * o->pre->row : NULL;
    s.post = o->post ? (const VDI_T *)o->post->data + w + i0 * o->post->row : NULL;
    s.k[0] = o->k;
    s.a[0] = o->k ? (const VDI_T *)o->a->data + w + i0 * o->a->row : NULL;
    s.k[1] = o->tri ? i0 : 0;
    s.a[1] = o->tri ? (const VDI_T *)o->tri->data + w + i0 * o->tri->row : NULL;
    s.tri = o->tri ? s.a[1] + i0 * o->tri->column : NULL;
    for (int64_t j = j0, nv, done; j < o->n; j += done) {
        const int64_t left = o->n - j, vectors = o->rows ? (left + VDI_W - 1) / VDI_W : left;
        const bool number = o->rows && (VDI_MASKS ? left == 1 : left < VDI_W || VDI_W == 1);
        const int64_t whole = VDI_MASKS || !o->rows ? vectors : left / VDI_W;
        nv = number || whole < 2 ? 1 : whole >= VDI__BT_NV ? VDI__BT_NV : 2;
        s.c = o->c ? (const VDI_T *)o->c->data + w + i0 * o->c->row + j * o->c->column : NULL;
        s.b[0] = o->k ? (const VDI_T *)o->b->data + w + j * o->b->column : NULL;
        s.b[1] = (const VDI_T *)o->out->data + w + j * o->out->column;
        s.out = (VDI_T *)o->out->data + w + j * o->out->column + i0 * o->out->row;
        s.scaled = o->scaled
                       ? (VDI_T *)o->scaled->data + w + j * o->scaled->column + i0 * o->scaled->row
                       : NULL;
        done = number ? 1 : nv * width;
        if (number) {
            VDI_PN(vdi__bt_tile_number)(o, &s);
        } else if (!o->rows) {
            VDI_PN(vdi__bt_tile_lanes)(o, &s, (int)nv);
        } else {
#if VDI_W > 1
            VDI_PN(vdi__bt_tile_rows)
            (o, &s, (int)nv, (int)VDI__MIN(left - (nv - 1) * width, width));
#endif
        }
    }
}

VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_op)(const vdi__bt_op *o) {
    for (int w = 0; w < (o->rows ? 1 : VDI__BT_LANES); w += VDI_W) {
        for (int64_t i = 0; i < o->m; i += VDI__BT_MR) {
            const int rows = (int)VDI__MIN(o->m - i, (int64_t)VDI__BT_MR);
            VDI_PN(vdi__bt_panel)(o, w, rows, i, 0);
        }
    }
}

/* The block of n x n pivots on the diagonal at i0, n <= most: S - (what stands before) =
   U' diag(p) U. The rows p U go to o->out, the rows of U with 1/p on their diagonal to o->scaled,
   where S stands on entry. Returns false if a pivot is not positive or its reciprocal is not
   finite. */
VDI_LOCAL bool VDI_PN(vdi__bt_diagonal)(bool rows, int most, const vdi__bt_op *o, int w, int n,
                                        int64_t i0) {
    const int64_t sr = o->scaled->row, sc = o->scaled->column;
    const int nv = rows ? 1 : most;
    const VDI_TAIL tail = VDI_VTAIL(rows ? VDI__MIN(o->n - i0, (int64_t)VDI_W) : VDI_W);
    const VDI_V zero = VDI_VZERO(), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    VDI_V acc[VDI__BT_MR][VDI__BT_MR];
    VDI_M ok = VDI_VGE(zero, zero);
    VDI_T *out = (VDI_T *)o->out->data + w + i0 * (o->out->row + o->out->column);
    VDI_T *scaled = (VDI_T *)o->scaled->data + w + i0 * (sr + sc);
    VDI__UNROLL for (int i = 0; i < most; i++) {
        VDI__UNROLL for (int v = rows ? 0 : i; v < nv; v++) {
            const VDI_T *p = scaled + (i < n ? i : 0) * sr + (v < n ? v : 0) * sc;
            acc[i][v] = rows ? VDI_VLOADT(p, tail) : VDI_VLOAD(p);
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
        VDI__UNROLL for (int i = 0; i < most; i++) {
            a[i] = (const VDI_T *)left->data + w + (i0 + (i < n ? i : 0)) * left->row;
        }
        for (int64_t k = chain ? i0 : o->k; k > 0; k--, offset += left->column, b += br) {
            VDI_V row[VDI__BT_MR];
            VDI__UNROLL for (int v = 0; v < nv; v++) {
                row[v] = rows ? VDI_VLOADT(b, tail) : VDI_VLOAD(b + (v < n ? v : 0) * bc);
            }
            VDI__UNROLL for (int i = 0; i < most; i++) {
                const VDI_V f = rows ? VDI_VSET1(a[i][offset]) : VDI_VLOAD(a[i] + offset);
                VDI__UNROLL for (int v = rows ? 0 : i; v < nv; v++) {
                    acc[i][v] = VDI_VFNMA(f, row[v], acc[i][v]);
                }
            }
        }
    }
    VDI__UNROLL for (int j = 0; j < most; j++) {
        if (j == n) break;
        const VDI_V pivot = rows ? VDI_PN(vdi__bt_lane)(acc[j][0], j) : acc[j][j];
        const VDI_V r = VDI_VDIV(VDI_VSET1(1), pivot);
        ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
        /* the products do not wait for the quotient */
        VDI__UNROLL for (int i = j + 1; i < most; i++) {
            const VDI_V f = rows ? VDI_PN(vdi__bt_lane)(acc[j][0], i) : acc[j][i];
            VDI__UNROLL for (int v = rows ? 0 : i; v < nv; v++) {
                acc[i][v] = VDI_VFNMA(VDI_VMUL(f, acc[j][v]), r, acc[i][v]);
            }
        }
        VDI__UNROLL for (int v = rows ? 0 : j; v < nv; v++) {
            VDI_T *p = out + j * o->out->row + v * o->out->column, *q = scaled + j * sr + v * sc;
            if (rows) {
                VDI_VSTORET(p, tail, acc[j][0]);
                VDI_VSTORET(q, tail, VDI_VMUL(acc[j][0], r));
                q[j] = VDI_VFIRST(r);
            } else if (v < n) {
                VDI_VSTORE(p, acc[j][v]);
                VDI_VSTORE(q, v == j ? r : VDI_VMUL(acc[j][v], r));
            }
        }
    }
    const VDI_M bad = VDI_MNOT(ok);
    return !VDI_MANY(bad);
}

/* One block of the factor from the top row down: pivots, and what stands right of them. */
VDI_KERNEL bool VDI_PN(vdi__linalg_blocktri_pivots)(const vdi__bt_op *o) {
    const int most = o->rows ? VDI__BT_PIVOTS : VDI__BT_MR;
    bool good = true;
    for (int w = 0; w < (o->rows ? 1 : VDI__BT_LANES); w += VDI_W) {
        for (int64_t i = 0, n; i < o->m; i += n) {
            n = o->m - i; /* pivots of one block are rounded together: 4, 2 or 1 */
            n = n >= most ? most : n >= 2 ? 2 : 1;
            good &= o->rows ? VDI_PN(vdi__bt_diagonal)(true, VDI__BT_PIVOTS, o, w, (int)n, i)
                            : VDI_PN(vdi__bt_diagonal)(false, VDI__BT_MR, o, w, (int)n, i);
            VDI_PN(vdi__bt_panel)(o, w, (int)n, i, i + (o->rows ? VDI_W : n));
        }
    }
    return good;
}
#undef VDI__BT_MR
#undef VDI__BT_NV
#undef VDI__BT_PIVOTS
#undef VDI__BT_ELEMENT
#undef VDI__BT_ROW
#undef VDI__BT_NUMBER
