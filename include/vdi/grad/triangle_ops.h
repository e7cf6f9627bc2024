/* grad/triangle_ops.h - Cholesky factors, triangular solves, triangles and diagonals
 *
 * Do this:
 *     vdi_var l = vdi_var_cholesky(t, a);                                  A = L L'
 *     vdi_var u = vdi_var_trsm(t, l, v, VDI_TRSM_LOWER);                   L^{-1} v
 *
 * All of them work on each matrix of a batch, and each is one node.
 */
#ifndef VDI_GRAD_TRIANGLE_OPS_H
#define VDI_GRAD_TRIANGLE_OPS_H
#include "ops.h"

/** L with A = L L', for each matrix (..., n, n); the lower triangle is read. The cotangent of A is
 * symmetric (dF = sum_ij Abar_ij
 *  dA_ij for a symmetric dA). Not positive definite is an error that names the matrix. Source of
 *  the adjoint: Murray 2016. */
VDI_API vdi_var vdi_var_cholesky(vdi_tape *t, vdi_var a);
/** Triangular solve, for each matrix: L (..., n, n) lower; X = op(L)^{-1} B, B (..., n, m), or X =
 * B op(L)^{-1}, B (..., m, n).
 *  `flags`: VDI_TRSM_*. L has the batch of B, or is one (n, n) for all. */
VDI_API vdi_var vdi_var_trsm(vdi_tape *t, vdi_var l, vdi_var b, int flags);
/** The lower triangle of each matrix (..., n, n), zero above; with `exp_diagonal` the diagonal
 * becomes exp(.): a Cholesky factor from
 *  free parameters. */
VDI_API vdi_var vdi_var_tril(vdi_tape *t, vdi_var x, bool exp_diagonal);
/** The diagonal of each matrix: (..., n, n) to (..., n). */
VDI_API vdi_var vdi_var_diagonal(vdi_tape *t, vdi_var x);
/** Diagonal matrices: (..., n) to (..., n, n). */
VDI_API vdi_var vdi_var_diag_embed(vdi_tape *t, vdi_var x);

#endif /* VDI_GRAD_TRIANGLE_OPS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_TRIANGLE_OPS_C)
#define VDI_GRAD_TRIANGLE_OPS_C

/* A square matrix at the end of the shape; its size, or -1 with an error. */
VDI__FN int64_t vdi__square_of(vdi_tape *t, const char *where, const vdi__node *x) {
    char text[VDI_SHAPE_TEXT];
    if (x->ndim >= 2 && x->shape[x->ndim - 1] == x->shape[x->ndim - 2])
        return x->shape[x->ndim - 1];
    (void)vdi_tape_fail(t, VDI_ERR_SHAPE, where, "%s: shape is %s, expected (..., n, n)", where,
                        vdi__node_text(x, text));
    return -1;
}

/* y = the lower triangle of x, its diagonal times `diagonal`, zero above. */
VDI__FN void vdi__lower(unsigned dtype, int64_t n, double diagonal, const void *x, void *y) {
    VDI__BOTH(dtype, {
        const real *p = (const real *)x;
        real *q = (real *)y;
        for (int64_t i = 0; i < n; i++) {
            const real own = (real)diagonal * p[i * n + i]; /* x may be y */
            for (int64_t j = 0; j < n; j++)
                q[i * n + j] = j < i ? p[i * n + j] : 0;
            q[i * n + i] = own;
        }
    });
}

/* ======== Cholesky ============================================================================ */

/* Abar = sym(L^{-T} Phi(L' Lbar) L^{-1}), Phi: lower triangle with the diagonal halved (Murray
 * 2016, eq. 10). */
VDI__FN void vdi__cholesky_back(vdi_tape *t, vdi__node *node) {
    vdi__node *x = node->in[0];
    vdi_dtype dtype = (vdi_dtype)node->dtype;
    int64_t n = x->shape[x->ndim - 1], square = n * n;
    size_t un = (size_t)n;
    void *g = vdi__grad_zeroed(t, x);
    if (!g) return;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *bar = vdi__tape_data(t, "vdi_var_cholesky", (size_t)square * vdi__real_size(dtype));
    void *s = vdi__tape_data(t, "vdi_var_cholesky", (size_t)square * vdi__real_size(dtype));
    for (int64_t at = 0; t->status >= 0 && !t->measure && square && at < x->count; at += square) {
        const void *l = vdi__elem(node, node->value, at);
        vdi__lower(dtype, n, 1, vdi__elem(node, node->grad, at), bar);
        vdi_gemm(dtype, VDI_GEMM_TA, un, un, un, l, un, bar, un, s, un);
        vdi__lower(dtype, n, 0.5, s, s);
        vdi_trsm(dtype, VDI_TRSM_TRANS, un, un, l, un, s, un);
        vdi_trsm(dtype, VDI_TRSM_RIGHT, un, un, l, un, s, un);
        VDI__BOTH(dtype, {
            const real *p = (const real *)s;
            real *q = (real *)vdi__elem(x, g, at);
            for (int64_t i = 0; i < n; i++) {
                for (int64_t j = 0; j < n; j++)
                    q[i * n + j] += (real)0.5 * (p[i * n + j] + p[j * n + i]);
            }
        });
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_cholesky(vdi_tape *t, vdi_var av) {
    static const char where[] = "vdi_var_cholesky";
    vdi_error err;
    vdi__node *x = vdi__arg(t, av, where);
    int64_t n = x ? vdi__square_of(t, where, x) : -1;
    if (n < 0) return vdi_var_none();
    vdi__node *node = vdi__node_like(t, where, x, true);
    if (!node) return vdi_var_none();
    node->in[0] = x;
    for (int64_t at = 0; !t->measure && at < x->count; at += n * n) {
        void *l = vdi__elem(node, node->value, at);
        memcpy(l, vdi__elem(x, x->value, at), (size_t)(n * n) * vdi__real_size(x->dtype));
        err.message[0] = 0;
        vdi_status status = vdi_cholesky((vdi_dtype)x->dtype, (size_t)n, l, (size_t)n, &err);
        if (status < 0) {
            return vdi_tape_fail(t, status, where, "matrix %lld: %s", (long long)(at / (n * n)),
                                 err.message);
        }
    }
    return vdi__node_link(t, node, x->flags, vdi__cholesky_back);
}

/* ======== triangular solves =================================================================== */

typedef struct vdi__trsm_node {
    int flags;
    int64_t n, m, batch, l_step; /* l_step: elements between the matrices L, 0 for one L */
} vdi__trsm_node;

/* Bbar = op(L)^{-T} Xbar (or Xbar op(L)^{-T}); Lbar = -tril of the product of Bbar and X that
 * stands where L stood. */
VDI__FN void vdi__trsm_back(vdi_tape *t, vdi__node *node) {
    static const char where[] = "vdi_var_trsm";
    const vdi__trsm_node *p = (const vdi__trsm_node *)node->extra;
    vdi__node *l = node->in[0], *b = node->in[1];
    vdi_dtype dtype = (vdi_dtype)node->dtype;
    size_t n = (size_t)p->n;
    size_t m = (size_t)p->m;
    size_t size = vdi__real_size(dtype);
    size_t ld = p->flags & VDI_TRSM_RIGHT ? n : m;
    bool trans = (p->flags & VDI_TRSM_TRANS) != 0, right = (p->flags & VDI_TRSM_RIGHT) != 0;
    void *gl = vdi__wants(l) ? vdi__grad_zeroed(t, l) : NULL;
    void *gb = vdi__wants(b) ? vdi__grad_zeroed(t, b) : NULL;
    vdi__tape_mark mark = vdi__scratch_begin(t);
    void *bar = vdi__tape_data(t, where, n * m * size), *s = vdi__tape_data(t, where, n * n * size);
    for (int64_t i = 0; t->status >= 0 && !t->measure && i < p->batch; i++) {
        const void *lv = vdi__elem(l, l->value, i * p->l_step);
        const void *x = vdi__elem(node, node->value, i * p->n * p->m);
        memcpy(bar, vdi__elem(node, node->grad, i * p->n * p->m), n * m * size);
        vdi_trsm(dtype, p->flags ^ VDI_TRSM_TRANS, n, m, lv, n, bar, ld);
        if (gb) t->k[dtype]->axpby(n * m, 1, bar, 1, vdi__elem(b, gb, i * p->n * p->m));
        if (!gl) continue;
        if (right)
            vdi_gemm(dtype, VDI_GEMM_TA, n, n, m, trans ? bar : x, n, trans ? x : bar, n, s, n);
        else
            vdi_gemm(dtype, VDI_GEMM_TB, n, n, m, trans ? x : bar, m, trans ? bar : x, m, s, n);
        vdi__lower(dtype, p->n, 1, s, s);
        t->k[dtype]->axpby(n * n, -1, s, 1, vdi__elem(l, gl, i * p->l_step));
    }
    vdi__scratch_end(t, mark);
}

VDI__DEF vdi_var vdi_var_trsm(vdi_tape *t, vdi_var lv, vdi_var bv, int flags) {
    static const char where[] = "vdi_var_trsm";
    vdi__node *l = vdi__arg(t, lv, where), *b = vdi__arg(t, bv, where);
    if (!l || !b || !vdi__same_dtype(t, where, l, b)) return vdi_var_none();
    int64_t n = vdi__square_of(t, where, l);
    if (n < 0) return vdi_var_none();
    bool right = (flags & VDI_TRSM_RIGHT) != 0;
    bool fits = b->ndim >= 2 && b->shape[b->ndim - (right ? 1 : 2)] == n &&
                (l->ndim == 2 || l->ndim == b->ndim);
    for (int i = 0; fits && l->ndim > 2 && i < l->ndim - 2; i++)
        fits = l->shape[i] == b->shape[i];
    if (!fits) {
        return vdi__shapes_differ(t, where, l, b,
                                  "L (...,n,n) does not fit B, or their batches differ");
    }
    vdi__node *node = vdi__node_like(t, where, b, true);
    vdi__trsm_node *p = node ? (vdi__trsm_node *)vdi__tape_payload(t, where, sizeof *p) : NULL;
    if (!p) return vdi_var_none();
    p->flags = flags;
    p->n = n;
    p->m = b->shape[b->ndim - (right ? 2 : 1)];
    p->batch = n && p->m ? b->count / (n * p->m) : 0;
    p->l_step = l->ndim == 2 ? 0 : n * n;
    node->in[0] = l;
    node->in[1] = b;
    node->extra = p;
    if (!t->measure) {
        memcpy(node->value, b->value, vdi__node_bytes(b));
        if (!p->l_step && right) { /* the batch is one tall matrix */
            vdi_trsm((vdi_dtype)b->dtype, flags, (size_t)n, (size_t)(p->batch * p->m), l->value,
                     (size_t)n, node->value, (size_t)n);
        } else {
            for (int64_t i = 0; i < p->batch; i++) {
                vdi_trsm((vdi_dtype)b->dtype, flags, (size_t)n, (size_t)p->m,
                         vdi__elem(l, l->value, i * p->l_step), (size_t)n,
                         vdi__elem(node, node->value, i * n * p->m),
                         right ? (size_t)n : (size_t)p->m);
            }
        }
    }
    return vdi__node_link(t, node, (unsigned)(l->flags | b->flags), vdi__trsm_back);
}

/* ======== triangles and diagonals ============================================================= */

VDI__FN void vdi__tril_back(vdi_tape *t, vdi__node *node) {
    vdi__node *x = node->in[0];
    int64_t n = x->shape[x->ndim - 1], square = n * n;
    void *g = vdi__grad_zeroed(t, x);
    if (!g || t->measure) return;
    for (int64_t at = 0; square && at < x->count; at += square) {
        VDI__BOTH(node->dtype, {
            const real *dy = (const real *)node->grad + at, *y = (const real *)node->value + at;
            real *dx = (real *)g + at;
            for (int64_t i = 0; i < n; i++) {
                for (int64_t j = 0; j < i; j++)
                    dx[i * n + j] += dy[i * n + j];
                dx[i * n + i] += node->op ? dy[i * n + i] * y[i * n + i] : dy[i * n + i];
            }
        });
    }
}

VDI__DEF vdi_var vdi_var_tril(vdi_tape *t, vdi_var xv, bool exp_diagonal) {
    static const char where[] = "vdi_var_tril";
    vdi__node *x = vdi__arg(t, xv, where);
    int64_t n = x ? vdi__square_of(t, where, x) : -1;
    if (n < 0) return vdi_var_none();
    vdi__node *node = vdi__node_like(t, where, x, true);
    if (!node) return vdi_var_none();
    node->in[0] = x;
    node->op = exp_diagonal;
    for (int64_t at = 0; !t->measure && at < x->count; at += n * n) {
        vdi__lower(x->dtype, n, 1, vdi__elem(x, x->value, at), vdi__elem(x, node->value, at));
        for (int64_t i = 0; exp_diagonal && i < n; i++) {
            void *d = vdi__elem(x, node->value, at + i * n + i);
            t->k[x->dtype]->unary[VDI_EXP](1, 0, d, d);
        }
    }
    return vdi__node_link(t, node, x->flags, vdi__tril_back);
}

/* op 0: (..., n, n) to its diagonal; op 1: the other way. Both are one strided copy. */
VDI__FN void vdi__diagonal_copy(unsigned dtype, int64_t count, int64_t n, const void *x,
                                int64_t x_n, int64_t x_step, void *y, int64_t y_n, int64_t y_step,
                                bool add) {
    VDI__BOTH(dtype, {
        const real *p = (const real *)x;
        real *q = (real *)y;
        for (int64_t b = 0; b < count; b++) {
            for (int64_t i = 0; i < n; i++) {
                q[b * y_n + i * y_step] =
                    p[b * x_n + i * x_step] + (add ? q[b * y_n + i * y_step] : 0);
            }
        }
    });
}

VDI__FN void vdi__diagonal_back(vdi_tape *t, vdi__node *node) {
    vdi__node *x = node->in[0];
    int64_t n = node->op ? x->shape[x->ndim - 1] : node->shape[node->ndim - 1];
    int64_t count = n ? (node->op ? x : node)->count / n : 0;
    void *g = vdi__grad_zeroed(t, x);
    if (!g || t->measure) return;
    if (node->op)
        vdi__diagonal_copy(node->dtype, count, n, node->grad, n * n, n + 1, g, n, 1, true);
    else
        vdi__diagonal_copy(node->dtype, count, n, node->grad, n, 1, g, n * n, n + 1, true);
}

VDI__DEF vdi_var vdi_var_diagonal(vdi_tape *t, vdi_var xv) {
    static const char where[] = "vdi_var_diagonal";
    vdi__node *x = vdi__arg(t, xv, where);
    int64_t n = x ? vdi__square_of(t, where, x) : -1;
    if (n < 0) return vdi_var_none();
    vdi__node *node = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, x->ndim - 1, x->shape, true);
    if (!node) return vdi_var_none();
    node->in[0] = x;
    if (!t->measure && n) {
        vdi__diagonal_copy(x->dtype, node->count / n, n, x->value, n * n, n + 1, node->value, n, 1,
                           false);
    }
    return vdi__node_link(t, node, x->flags, vdi__diagonal_back);
}

VDI__DEF vdi_var vdi_var_diag_embed(vdi_tape *t, vdi_var xv) {
    static const char where[] = "vdi_var_diag_embed";
    int64_t shape[VDI_MAX_DIMS + 1];
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    if (x->ndim < 1 || x->ndim >= VDI_MAX_DIMS) {
        return vdi_tape_fail(t, VDI_ERR_SHAPE, where, "%d axes, expected 1..%d", x->ndim,
                             VDI_MAX_DIMS - 1);
    }
    for (int i = 0; i < x->ndim; i++)
        shape[i] = x->shape[i];
    int64_t n = shape[x->ndim] = shape[x->ndim - 1];
    vdi__node *node = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, x->ndim + 1, shape, true);
    if (!node) return vdi_var_none();
    node->in[0] = x;
    node->op = 1;
    if (!t->measure && n) {
        memset(node->value, 0, vdi__node_bytes(node));
        vdi__diagonal_copy(x->dtype, x->count / n, n, x->value, n, 1, node->value, n * n, n + 1,
                           false);
    }
    return vdi__node_link(t, node, x->flags, vdi__diagonal_back);
}
#endif
