/* linalg/blocktri_group.h - one group of trials of a block-tridiagonal batch, and block algebra on
 * it
 *
 * Not for users: what blocktri.h and blocktri_adjoint.h are written in.
 */
#ifndef VDI_LINALG_BLOCKTRI_GROUP_H
#define VDI_LINALG_BLOCKTRI_GROUP_H
#include "blocktri.h"
#include "table.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && \
    !defined(VDI_LINALG_BLOCKTRI_GROUP_C)
#define VDI_LINALG_BLOCKTRI_GROUP_C

/* ---- what is stored -----------------------------------------------------------------------------
 * J = W diag(p) W' with W unit lower block-bidiagonal: blocks U_t (unit lower triangular) on the
 * diagonal, N_t under it. In terms of Cholesky's own blocks L_t = U_t p_t^{1/2} and M_t = N_t
 * p_t^{1/2}; the roots are taken only where somebody asks for L, M or a sample, so that a pivot
 * costs one division and no root. Per block there are two d x d arrays,
 *     L: U_t' above the diagonal, 1/p_t on it (below it: nothing of meaning), and N: N_t'.
 * The transposes are kept because every step then reads and writes rows: with rows, element (j,i)
 * is at j d + i, and a vector is a piece of a row. With lanes, each element is a vector over
 * trials, any order costs the same, and the input's order is kept: element (j,i) at i d + j.
 */

/* One group of trials as the functions below see it. */
typedef struct vdi__bt {
    const vdi_blocktri *bt;
    const vdi__linalg_kernels *k;
    bool rows;
    int64_t d, dd, T;          /* T: the longest length of the group */
    int64_t first, used;       /* trials first .. first + used */
    int64_t lanes;             /* reals in an element: trials side by side, or 1 */
    int64_t row, column;       /* strides of U' and N', in reals */
    size_t real, unit;         /* bytes of a real; of an element */
    int64_t length[16];        /* per lane, 0 where there is no trial */
    char *L, *N, *block, *vec; /* the factor; 16 blocks and T d lane vectors of scratch */
} vdi__bt;
#define VDI__BT_BLOCKS 16

VDI__FN int64_t vdi__bt_lanes(vdi_dtype dtype) { return dtype == VDI_F64 ? 8 : 16; }

VDI__FN void vdi__bt_open(vdi__bt *g, const vdi_blocktri *bt, int64_t group, int worker) {
    memset(g, 0, sizeof *g);
    g->bt = bt;
    g->k = vdi__linalg_of(bt->dtype);
    g->rows = bt->method != 0;
#if VDI__HAVE_AVX512 && VDI__HAVE_AVX2
    /* Rows that fill half a vector are better off in narrower ones: the same bits, and whole
     * stores, which the next load need not wait for.
     */
    if (g->rows && (size_t)bt->d * vdi_dtype_size(bt->dtype) <= 32 &&
        vdi_simd_active() == VDI_SIMD_AVX512)
        g->k = vdi__linalg_tables[VDI_SIMD_AVX2][bt->dtype == VDI_F64];
#endif
    const int64_t lanes = g->rows ? 1 : vdi__bt_lanes(bt->dtype);
    g->d = bt->d;
    g->dd = bt->d * bt->d;
    g->row = g->rows ? bt->d : lanes;
    g->column = g->rows ? 1 : bt->d * lanes;
    g->real = vdi_dtype_size(bt->dtype);
    g->unit = g->real * (size_t)lanes;
    g->lanes = lanes;
    g->first = group * lanes;
    g->used = VDI__MIN(lanes, bt->trials - g->first);
    for (int64_t i = 0; i < g->used; i++) {
        g->length[i] = bt->lengths ? bt->lengths[g->first + i] : bt->T;
        g->T = VDI__MAX(g->T, g->length[i]);
    }
    const size_t half = (size_t)(bt->T * g->dd) * g->unit;
    g->L = (char *)bt->factor + (size_t)group * 2 * half;
    g->N = g->L + half;
    g->block = (char *)bt->work + (size_t)worker * bt->worker_size;
    g->vec = g->block + (size_t)(VDI__BT_BLOCKS * g->dd + g->d) * g->unit;
}

/* ---- between the caller's arrays and the group's --------------------------------------------- */

VDI__FN char *vdi__bt_block(const vdi__bt *g, char *base, int64_t t) {
    return base + (size_t)(t * g->dd) * g->unit;
}
VDI__FN char *vdi__bt_scratch(const vdi__bt *g, int i) { return vdi__bt_block(g, g->block, i); }
VDI__FN char *vdi__bt_root(const vdi__bt *g) { return vdi__bt_block(g, g->block, VDI__BT_BLOCKS); }
/* Block t as it is stored in the factor, a plain block, and its transpose for calls that take any
 * strides. */
VDI__FN vdi__matrix vdi__bt_stored(const vdi__bt *g, char *base, int64_t t) {
    const vdi__matrix m = {vdi__bt_block(g, base, t), g->row, g->column};
    return m;
}
VDI__FN vdi__matrix vdi__bt_plain(const vdi__bt *g, const char *p) {
    const vdi__matrix m = {p, g->d * g->lanes, g->lanes};
    return m;
}
VDI__FN vdi__matrix vdi__bt_transposed(const vdi__bt *g, const char *p) {
    const vdi__matrix m = {p, g->lanes, g->d * g->lanes};
    return m;
}
/* 1/p_t, the diagonal of a stored block, as a column */
VDI__FN vdi__matrix vdi__bt_pivots(const vdi__bt *g, int64_t t) {
    const vdi__matrix m = {vdi__bt_block(g, g->L, t), (g->d + 1) * g->lanes, 0};
    return m;
}

/* Items t0 .. t0+count of `n` reals each, of an array with T - less items per trial: what is behind
 * a trial's length (less `less`) counts as 0. */
VDI__FN void vdi__bt_fetch(const vdi__bt *g, const void *src, int64_t rhs, int less, int64_t n,
                           int64_t t0, int64_t count, char *dst) {
    const int64_t items = g->bt->T - less;
    int64_t have[16] = {0};
    for (int64_t i = 0; i < g->used; i++)
        have[i] = n * VDI__MAX((int64_t)0, VDI__MIN(count, g->length[i] - less - t0));
    const char *p =
        (const char *)src + (size_t)(((rhs * g->bt->trials + g->first) * items + t0) * n) * g->real;
    if (g->rows) {
        memcpy(dst, p, (size_t)have[0] * g->real);
        memset(dst + (size_t)have[0] * g->real, 0, (size_t)(n * count - have[0]) * g->real);
    } else {
        g->k->blocktri_pack(p, items * n, have, n * count, dst);
    }
}

/* The way back. scale 0: store, and 0 behind a trial's length; else add scale times. */
VDI__FN void vdi__bt_give(const vdi__bt *g, const char *src, double scale, void *dst, int64_t rhs,
                          int less, int64_t n, int64_t t0, int64_t count) {
    const int64_t items = g->bt->T - less;
    int64_t have[16] = {0};
    if (count <= 0) return;
    for (int64_t i = 0; i < g->used; i++)
        have[i] = n * VDI__MAX((int64_t)0, VDI__MIN(count, g->length[i] - less - t0));
    char *p = (char *)dst + (size_t)(((rhs * g->bt->trials + g->first) * items + t0) * n) * g->real;
    if (!g->rows) {
        g->k->blocktri_unpack(src, n * count, p, items * n, have, g->used, scale);
    } else if (scale != 0) {
        g->k->blocktri_add(have[0], scale, src, p);
    } else {
        memcpy(p, src, (size_t)have[0] * g->real);
        memset(p + (size_t)have[0] * g->real, 0, (size_t)(n * count - have[0]) * g->real);
    }
}

/* Zeros in all items from t0 on. */
VDI__FN void vdi__bt_blank(const vdi__bt *g, void *dst, int less, int64_t n, int64_t t0) {
    const int64_t items = g->bt->T - less;
    for (int64_t i = 0; i < g->used && t0 < items; i++) {
        memset((char *)dst + (size_t)(((g->first + i) * items + t0) * n) * g->real, 0,
               (size_t)((items - t0) * n) * g->real);
    }
}

/* ---- block algebra --------------------------------------------------------------------------- */

/* out = C - A B, plain; C may be NULL for 0. With rows, the columns of C and B must be
 * neighbours. */
VDI__FN void vdi__bt_mul(const vdi__bt *g, const vdi__matrix *C, const vdi__matrix *A,
                         const vdi__matrix *B, char *out) {
    const vdi__target to = {out, g->d * g->lanes, g->lanes};
    const vdi__bt_op o = {g->rows, false, g->d, g->d, g->d, C, NULL, A, B, NULL, NULL, &to, NULL};
    g->k->blocktri_op(&o);
}

/* out = U_t^{-1} C */
VDI__FN void vdi__bt_solve_lower(const vdi__bt *g, int64_t t, const vdi__matrix *C, char *out) {
    const vdi__target to = {out, g->d * g->lanes, g->lanes};
    const vdi__matrix U = {vdi__bt_block(g, g->L, t), g->column, g->row};
    const vdi__bt_op o = {g->rows, false, g->d, g->d, 0, C, NULL, NULL, NULL, &U, NULL, &to, NULL};
    g->k->blocktri_op(&o);
}

/* The same rows from the last to the first. */
VDI__FN vdi__matrix vdi__bt_reversed(const vdi__bt *g, const vdi__matrix *m) {
    const vdi__matrix r = {(const char *)m->data + (g->d - 1) * m->row * (int64_t)g->real, -m->row,
                           m->column};
    return r;
}

/* out = U_t^{-T} (s C - A B), from the last row up; s is diag(1/p_t) if `scaled`, else 1; A may be
 * NULL. */
VDI__FN void vdi__bt_solve_upper(const vdi__bt *g, int64_t t, bool scaled, const vdi__matrix *C,
                                 const vdi__matrix *A, const vdi__matrix *B, char *out) {
    const int64_t u = g->lanes;
    const char *last = vdi__bt_block(g, g->L, t) + (size_t)(g->dd - 1) * g->unit;
    const vdi__target to = {out + (size_t)((g->d - 1) * g->d) * g->unit, -g->d * u, u};
    const vdi__matrix U = {last, -g->row, -g->column}, pivots = {last, -(g->d + 1) * u, 0};
    const vdi__matrix c = vdi__bt_reversed(g, C), a = vdi__bt_reversed(g, A ? A : C);
    const vdi__bt_op o = {g->rows, false, g->d, g->d, A ? g->d : 0, &c,  scaled ? &pivots : NULL,
                          &a,      B,     &U,   NULL, &to,          NULL};
    g->k->blocktri_op(&o);
}

/* With rows, B of a product has to have its columns next to each other: a transposed `plain` goes
 * to `copy` then. Returns whether it did. */
VDI__FN bool vdi__bt_neighbours(const vdi__bt *g, const char *plain, char *copy) {
    if (g->rows) g->k->blocktri_transpose(1, g->d, false, plain, copy);
    return g->rows;
}

VDI__FN void vdi__bt_map(const vdi__bt *g, vdi__bt_kind kind, const vdi__matrix *x,
                         const vdi__matrix *y, double scale, char *out) {
    g->k->blocktri_map(kind, g->rows, g->d, x, y, scale, out);
}

/* out = scale (x + x') */
VDI__FN void vdi__bt_symmetric(const vdi__bt *g, const char *x, double scale, char *out) {
    const vdi__matrix plain = vdi__bt_plain(g, x), transposed = vdi__bt_transposed(g, x);
    vdi__bt_map(g, VDI__BT_SUM, &plain, &transposed, scale, out);
}

/* out = P_t^{-1} C with P_t = L_t L_t'; tmp is a block */
VDI__FN void vdi__bt_solve_block(const vdi__bt *g, int64_t t, const vdi__matrix *C, char *tmp,
                                 char *out) {
    const vdi__matrix x = vdi__bt_plain(g, tmp);
    vdi__bt_solve_lower(g, t, C, tmp);
    vdi__bt_solve_upper(g, t, true, &x, NULL, NULL, out);
}

/* ---- vectors through the factor -------------------------------------------------------------- */

enum { VDI__BT_FORWARD = 1, VDI__BT_BACKWARD = 2, VDI__BT_ROOT = 4 };

/* Vectors: y(t,i) at y + (t d + i) ys elements, n of them side by side (rows) or one over the lanes
 * (n = 1). All these work in place. */

/* y_t = U_t^{-1} (y_t - N_{t-1} y_{t-1}), from the first block to the last */
VDI__FN void vdi__bt_forward(const vdi__bt *g, int64_t n, int64_t ys, char *y) {
    const size_t step = (size_t)(g->d * ys) * g->unit, block = (size_t)g->dd * g->unit;
    const int64_t row = ys * g->lanes, column = g->lanes; /* lanes have one column */
    vdi__matrix here = {y, row, column}, before = {y, row, column};
    vdi__matrix U = {g->L, g->column, g->row}, N = {g->N, g->column, g->row};
    vdi__target to = {y, row, column};
    vdi__bt_op o = {g->rows, false, g->d, n, 0, &here, NULL, &N, &before, &U, NULL, &to, NULL};
    for (int64_t t = 0; t < g->T; t++) {
        to.data = y + (size_t)t * step;
        here.data = to.data;
        U.data = g->L + (size_t)t * block;
        g->k->blocktri_op(&o);
        before.data = here.data;
        N.data = g->N + (size_t)t * block;
        o.k = g->d;
    }
}

/* y_t = U_t^{-T} (s_t y_t - N_t' y_{t+1}), from the last block to the first; s = 1/p, or with
 * `roots` 1/sqrt(p) */
VDI__FN void vdi__bt_backward(const vdi__bt *g, bool roots, int64_t n, int64_t ys, char *y) {
    const int64_t d = g->d, u = g->lanes, row = ys * u, last = d - 1;
    const size_t step = (size_t)(d * ys) * g->unit, block = (size_t)g->dd * g->unit;
    char *root = vdi__bt_root(g);
    vdi__matrix here = {y, -row, u}, after = {y, row, u};
    vdi__matrix U = {g->L, -g->row, -g->column}, N = {g->N, -g->row, g->column};
    vdi__matrix s = {root + (size_t)last * g->unit, roots ? -u : -(d + 1) * u, 0};
    vdi__target to = {y, -row, u};
    vdi__bt_op o = {g->rows, false, d, n, 0, &here, &s, &N, &after, &U, NULL, &to, NULL};
    for (int64_t t = g->T - 1; t >= 0; t--) {
        const char *L = g->L + (size_t)t * block;
        to.data = y + (size_t)t * step + (size_t)(last * ys) * g->unit;
        here.data = to.data;
        U.data = L + block - g->unit;
        if (roots)
            g->k->blocktri_root(g->rows, d, L, (d + 1) * u, root);
        else
            s.data = U.data;
        N.data = g->N + (size_t)t * block + (size_t)(last * g->row) * g->real;
        g->k->blocktri_op(&o);
        after.data = y + (size_t)t * step;
        o.k = d;
    }
}

/* y_t = s_t y_t */
VDI__FN void vdi__bt_scale(const vdi__bt *g, bool roots, int64_t n, int64_t ys, char *y) {
    const int64_t d = g->d, u = g->lanes;
    const size_t step = (size_t)(d * ys) * g->unit, block = (size_t)g->dd * g->unit;
    char *root = vdi__bt_root(g);
    vdi__matrix here = {y, ys * u, u}, s = {root, roots ? u : (d + 1) * u, 0};
    vdi__target to = {y, ys * u, u};
    const vdi__bt_op o = {g->rows, false, d, n, 0, &here, &s, NULL, NULL, NULL, NULL, &to, NULL};
    for (int64_t t = 0; t < g->T; t++) {
        const char *L = g->L + (size_t)t * block;
        to.data = y + (size_t)t * step;
        here.data = to.data;
        if (roots)
            g->k->blocktri_root(g->rows, d, L, (d + 1) * u, root);
        else
            s.data = L;
        g->k->blocktri_op(&o);
    }
}

VDI__FN void vdi__bt_sweep(const vdi__bt *g, int what, int64_t n, int64_t ys, char *y) {
    const bool roots = (what & VDI__BT_ROOT) != 0;
    const bool few =
        g->rows && n == 1 && ys == 1 && g->d <= 4; /* a request takes longer than they */
    if ((what & VDI__BT_FORWARD) && few)
        g->k->blocktri_forward(g->d, g->T, g->L, g->N, y);
    else if (what & VDI__BT_FORWARD)
        vdi__bt_forward(g, n, ys, y);
    if ((what & VDI__BT_BACKWARD) && few)
        g->k->blocktri_backward(roots, g->d, g->T, g->L, g->N, y);
    else if (what & VDI__BT_BACKWARD)
        vdi__bt_backward(g, roots, n, ys, y);
    else
        vdi__bt_scale(g, roots, n, ys, y);
}

/* ---- jobs: one per group --------------------------------------------------------------------- */

typedef struct vdi__bt_job {
    const vdi_blocktri *bt;
    void (*run)(const vdi__bt *g, const struct vdi__bt_job *job, char *work);
    int64_t nrhs;
    int what;
    const void *in[4];
    void *out[3];
    char *work;
} vdi__bt_job;

VDI__FN void vdi__bt_run_group(int64_t group, int worker, void *user) {
    const vdi__bt_job *job = (const vdi__bt_job *)user;
    vdi__bt g;
    vdi__bt_open(&g, job->bt, group, worker);
    job->run(&g, job, job->work ? job->work + (size_t)worker * job->bt->adjoint_size : NULL);
}

VDI__FN void vdi__bt_run(vdi__bt_job *job, void *work) {
    if (work) job->work = (char *)work + (VDI_ALIGN - (uintptr_t)work % VDI_ALIGN) % VDI_ALIGN;
    if (job->bt->pool) {
        vdi_pool_run(job->bt->pool, job->bt->groups, vdi__bt_run_group, job);
        return;
    }
    for (int64_t i = 0; i < job->bt->groups; i++)
        vdi__bt_run_group(i, 0, job);
}

#endif
