/* grad/matrix_ops.h - coarse operations on matrices: products, layers, convolution, recurrence,
 * Cholesky and triangular solves
 *
 * Do this:
 *     vdi_var h = vdi_var_affine(t, x, w, b, VDI_ACT_RELU, 0);   act(x W + b), one pass
 *     vdi_var s = vdi_var_matmul(t, a, a, VDI_GEMM_TB);          A A', for each matrix of a batch
 *     vdi_var l = vdi_var_cholesky(t, s);
 *     vdi_var u = vdi_var_trsm(t, l, v, VDI_TRSM_LOWER);         L^{-1} v
 *
 * Each is one node: forward and backward are whole kernels. The gradient of a weight is added by
 * the product itself to the parameter's gradient; the gradient of an input is computed only where
 * somebody wants it.
 */
#ifndef VDI_GRAD_MATRIX_OPS_H
#define VDI_GRAD_MATRIX_OPS_H
#include "shape_ops.h"

/** act(x W + b): x (..., in), W (in, out), b (out) or the null variable; result (..., out).
 * `act_param` is the slope of
 *  VDI_ACT_LEAKY_RELU (0 means 0.2). The derivative at the kink of a rectifier is the one from the
 *  left. */
VDI_API vdi_var vdi_var_affine(vdi_tape *t, vdi_var x, vdi_var w, vdi_var b, vdi_act act,
                               double act_param);
/** op(A) op(B) for each matrix of a batch: (..., m, k) by (..., k, n) gives (..., m, n); the
 * leading axes broadcast. `flags`:
 *  VDI_GEMM_TA and VDI_GEMM_TB say that A is stored (..., k, m), B (..., n, k). */
VDI_API vdi_var vdi_var_matmul(vdi_tape *t, vdi_var a, vdi_var b, int flags);
/** (x - mean) / sqrt(variance + eps) * gain + bias over the last axis (variance over n); gain, bias
 * (n) or null variables; eps 0
 *  means 1e-5. */
VDI_API vdi_var vdi_var_layer_norm(vdi_tape *t, vdi_var x, vdi_var gain, vdi_var bias, double eps);
/** act(conv(x, W) + b): x (B,T,cin), W (width,cin,cout), b (cout) or null; result (B,T,cout).
 * pad_left -1 means (width-1)/2. */
VDI_API vdi_var vdi_var_conv1d(vdi_tape *t, vdi_var x, vdi_var w, vdi_var b, int64_t pad_left,
                               vdi_act act, double act_param);
/** The same with the taps `dilation` frames apart (0 means 1); pad_left -1 means dilation
 * (width-1)/2. */
VDI_API vdi_var vdi_var_conv1d_dilated(vdi_tape *t, vdi_var x, vdi_var w, vdi_var b,
                                       int64_t dilation, int64_t pad_left, vdi_act act,
                                       double act_param);
/** A gated recurrent unit over a sequence (equations in kernel/rnn.h): xp (T,B,3H) = x W_ih + b_ih,
 * W_hh (H,3H), b_hh (3H), h0
 *  (B,H) or null for zero; result (T,B,H), the states. `reverse` runs from the last time to the
 *  first. */
VDI_API vdi_var vdi_var_gru(vdi_tape *t, vdi_var xp, vdi_var w_hh, vdi_var b_hh, vdi_var h0,
                            bool reverse);
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

#endif /* VDI_GRAD_MATRIX_OPS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_MATRIX_OPS_C)
#define VDI_GRAD_MATRIX_OPS_C

/* The elementwise operation of each activation. */
static const vdi_unary_op vdi__act_unary[] = {VDI_IDENTITY, VDI_RELU,     VDI_LEAKY_RELU, VDI_TANH,
                                              VDI_SIGMOID,  VDI_SOFTPLUS, VDI_EXP};

VDI__FN double vdi__act_param(vdi_act act, double param) {
    return act == VDI_ACT_LEAKY_RELU && param == 0 ? 0.2 : param;
}

/* The gradient before the activation: n->grad itself where there is none, else in scratch
 * memory. */
VDI__FN void *vdi__act_back(vdi_tape *t, vdi__node *n, const char *where) {
    if (n->op == VDI_ACT_NONE) return n->grad;
    void *dz = vdi__tape_data(t, where, vdi__node_bytes(n));
    if (dz && !t->measure) {
        vdi_act_grad((vdi_dtype)n->dtype, (vdi_act)n->op, n->p, (size_t)n->count, n->value, n->grad,
                     dz);
    }
    return dz;
}

/* The arguments of a layer: w has to end in (in, out), b has to be (out). False with an error. */
VDI__FN bool vdi__layer_args(vdi_tape *t, const char *where, vdi_var xv, vdi_var wv, vdi_var bv,
                             vdi_act act, int w_ndim, vdi__node *arg[3]) {
    vdi__node *x = arg[0] = vdi__arg(t, xv, where), *w = arg[1] = vdi__arg(t, wv, where);
    arg[2] = NULL;
    if (!x || !w || !vdi__same_dtype(t, where, x, w)) return false;
    if ((unsigned)act >= VDI__COUNT(vdi__act_unary)) {
        (void)vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "there is no activation %d", (int)act);
        return false;
    }
    if (x->ndim < 1 || w->ndim != w_ndim || x->shape[x->ndim - 1] != w->shape[w_ndim - 2]) {
        vdi__shapes_differ(t, where, x, w, "inner dimensions of x and W differ");
        return false;
    }
    if (!vdi_var_ok(bv)) return true;
    vdi__node *b = arg[2] = vdi__arg(t, bv, where);
    if (!b || !vdi__same_dtype(t, where, w, b)) return false;
    if (b->count != w->shape[w_ndim - 1]) {
        vdi__shapes_differ(t, where, w, b, "W and bias differ in their outputs");
        return false;
    }
    return true;
}

/* ======== affine ============================================================================== */

VDI__FN void vdi__affine_back(vdi_tape *t, vdi__node *n) {
    vdi__node *x = n->in[0], *w = n->in[1], *b = n->in[2];
    vdi_dtype dtype = (vdi_dtype)n->dtype;
    size_t in = (size_t)w->shape[0];
    size_t out = (size_t)w->shape[1];
    size_t m = out ? (size_t)n->count / out : 0;
    bool add_x = false, add_w = false, add_b = false;
    void *gx = vdi__wants(x) ? vdi__grad_open(t, x, &add_x) : NULL;
    void *gw = vdi__wants(w) ? vdi__grad_open(t, w, &add_w) : NULL;
    void *gb = vdi__wants(b) ? vdi__grad_open(t, b, &add_b) : NULL;
    vdi__tape_mark mark = vdi__scratch_begin(t);
    void *dz = vdi__act_back(t, n, "vdi_var_affine");
    if (dz && !t->measure && t->status >= 0) {
        if (gw) {
            vdi_gemm(dtype, VDI_GEMM_TA | (add_w ? VDI_GEMM_ACC : 0), in, out, m, x->value, in, dz,
                     out, gw, out);
        }
        if (gb) vdi_sum_rows(dtype, m, out, dz, out, add_b, gb);
        if (gx) {
            vdi_gemm(dtype, VDI_GEMM_TB | (add_x ? VDI_GEMM_ACC : 0), m, in, out, dz, out, w->value,
                     out, gx, in);
        }
    }
    vdi__scratch_end(t, mark);
}

VDI__DEF vdi_var vdi_var_affine(vdi_tape *t, vdi_var xv, vdi_var wv, vdi_var bv, vdi_act act,
                                double act_param) {
    static const char where[] = "vdi_var_affine";
    vdi__node *arg[3];
    int64_t shape[VDI_MAX_DIMS];
    if (!vdi__layer_args(t, where, xv, wv, bv, act, 2, arg)) return vdi_var_none();
    vdi__node *x = arg[0], *w = arg[1], *b = arg[2];
    for (int i = 0; i < x->ndim; i++)
        shape[i] = x->shape[i];
    shape[x->ndim - 1] = w->shape[1];
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, x->ndim, shape, true);
    if (!n) return vdi_var_none();
    size_t in = (size_t)w->shape[0];
    size_t out = (size_t)w->shape[1];
    size_t m = out ? (size_t)n->count / out : 0;
    n->in[0] = x;
    n->in[1] = w;
    n->in[2] = b;
    n->op = (uint8_t)act;
    n->p = vdi__act_param(act, act_param);
    if (!t->measure) {
        vdi_affine((vdi_dtype)n->dtype, m, out, in, x->value, in, w->value, out,
                   b ? b->value : NULL, act, n->p, n->value, out);
    }
    return vdi__node_link(t, n, (unsigned)(x->flags | w->flags | (b ? b->flags : 0)),
                          vdi__affine_back);
}

/* ======== products of batches ================================================================= */

typedef struct vdi__matmul_node {
    int flags;
    size_t m, n, k;
    vdi__bcast batch; /* in units of matrices */
} vdi__matmul_node;

/* One product of the batch: a, b, c are the matrices, or their gradients. C += op(A) op(B) and its
 * two adjoints. */
VDI__FN void vdi__matmul_back_one(vdi_dtype dtype, const vdi__matmul_node *p, const void *a,
                                  const void *b, const void *dc, void *da, void *db) {
    int ta = p->flags & VDI_GEMM_TA, tb = p->flags & VDI_GEMM_TB;
    size_t m = p->m;
    size_t n = p->n;
    size_t k = p->k;
    size_t lda = ta ? m : k;
    size_t ldb = tb ? k : n;
    if (da && !ta)
        vdi_gemm(dtype, VDI_GEMM_ACC | (tb ? 0 : VDI_GEMM_TB), m, k, n, dc, n, b, ldb, da, lda);
    if (da && ta) {
        vdi_gemm(dtype, VDI_GEMM_ACC | VDI_GEMM_TB | (tb ? VDI_GEMM_TA : 0), k, m, n, b, ldb, dc, n,
                 da, lda);
    }
    if (db && !tb)
        vdi_gemm(dtype, VDI_GEMM_ACC | (ta ? 0 : VDI_GEMM_TA), k, n, m, a, lda, dc, n, db, ldb);
    if (db && tb) {
        vdi_gemm(dtype, VDI_GEMM_ACC | VDI_GEMM_TA | (ta ? VDI_GEMM_TB : 0), n, k, m, dc, n, a, lda,
                 db, ldb);
    }
}

VDI__FN void vdi__matmul_run(vdi_tape *t, vdi__node *n, void *ga, void *gb, bool back) {
    const vdi__matmul_node *p = (const vdi__matmul_node *)n->extra;
    vdi__node *a = n->in[0], *b = n->in[1];
    vdi_dtype dtype = (vdi_dtype)n->dtype;
    int64_t size_a = (int64_t)(p->m * p->k);
    int64_t size_b = (int64_t)(p->k * p->n);
    int64_t size_c = (int64_t)(p->m * p->n);
    vdi__bcast_at r = VDI__ZERO;
    for (int64_t row = 0; row < p->batch.rows; row++, vdi__bcast_next(&p->batch, &r)) {
        for (int64_t i = 0; i < p->batch.inner; i++) {
            int64_t at_a = (r.a + i * p->batch.a_step) * size_a;
            int64_t at_b = (r.b + i * p->batch.b_step) * size_b;
            int64_t at_c = (r.y + i) * size_c;
            if (back) {
                vdi__matmul_back_one(dtype, p, vdi__elem(a, a->value, at_a),
                                     vdi__elem(b, b->value, at_b), vdi__elem(n, n->grad, at_c),
                                     ga ? vdi__elem(a, ga, at_a) : NULL,
                                     gb ? vdi__elem(b, gb, at_b) : NULL);
            } else {
                vdi_gemm(dtype, p->flags, p->m, p->n, p->k, vdi__elem(a, a->value, at_a),
                         p->flags & VDI_GEMM_TA ? p->m : p->k, vdi__elem(b, b->value, at_b),
                         p->flags & VDI_GEMM_TB ? p->k : p->n, vdi__elem(n, n->value, at_c), p->n);
            }
        }
    }
    (void)t;
}

VDI__FN void vdi__matmul_back(vdi_tape *t, vdi__node *n) {
    void *ga = vdi__wants(n->in[0]) ? vdi__grad_zeroed(t, n->in[0]) : NULL;
    void *gb = vdi__wants(n->in[1]) ? vdi__grad_zeroed(t, n->in[1]) : NULL;
    if (!t->measure && t->status >= 0) vdi__matmul_run(t, n, ga, gb, true);
}

VDI__DEF vdi_var vdi_var_matmul(vdi_tape *t, vdi_var av, vdi_var bv, int flags) {
    static const char where[] = "vdi_var_matmul";
    int64_t shape[VDI_MAX_DIMS];
    vdi__node *a = vdi__arg(t, av, where), *b = vdi__arg(t, bv, where);
    if (!a || !b || !vdi__same_dtype(t, where, a, b)) return vdi_var_none();
    int ta = (flags & VDI_GEMM_TA) != 0, tb = (flags & VDI_GEMM_TB) != 0;
    if (a->ndim < 2 || b->ndim < 2 || a->shape[a->ndim - 1 - ta] != b->shape[b->ndim - 2 + tb]) {
        return vdi__shapes_differ(t, where, a, b,
                                  ta || tb ? "inner dimensions (after transposing) differ"
                                           : "inner dimensions differ");
    }
    vdi__node batch_a = *a, batch_b = *b; /* the shapes without the matrices */
    batch_a.ndim = (uint8_t)(a->ndim - 2);
    batch_b.ndim = (uint8_t)(b->ndim - 2);
    int ndim = vdi_broadcast_shape(vdi__node_tensor(t, &batch_a, NULL),
                                   vdi__node_tensor(t, &batch_b, NULL), shape);
    if (ndim < 0) return vdi__shapes_differ(t, where, a, b, "the leading axes do not broadcast");
    shape[ndim] = a->shape[a->ndim - 2 + ta];
    shape[ndim + 1] = b->shape[b->ndim - 1 - tb];
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)a->dtype, ndim + 2, shape, true);
    vdi__matmul_node *p = n ? (vdi__matmul_node *)vdi__tape_payload(t, where, sizeof *p) : NULL;
    if (!p) return vdi_var_none();
    p->flags = flags & (VDI_GEMM_TA | VDI_GEMM_TB);
    p->m = (size_t)shape[ndim];
    p->n = (size_t)shape[ndim + 1];
    p->k = (size_t)a->shape[a->ndim - 1 - ta];
    vdi__bcast_make(&p->batch, ndim, shape, &batch_a, &batch_b);
    if (p->batch.rows == 1 && p->batch.b_step == 0 && p->batch.a_step == 1 && !ta) {
        /* one B for all: one tall product */
        p->m *= (size_t)p->batch.inner;
        p->batch.inner = 1;
    }
    n->in[0] = a;
    n->in[1] = b;
    n->extra = p;
    if (!t->measure) vdi__matmul_run(t, n, NULL, NULL, false);
    return vdi__node_link(t, n, (unsigned)(a->flags | b->flags), vdi__matmul_back);
}

/* ======== layer norm ========================================================================== */

/* One row: e = (x - mean) rstd; returns rstd. */
VDI__FN double vdi__normalise(const vdi__kernels *k, unsigned dtype, int64_t cols, double eps,
                              const void *x, void *e) {
    vdi__one shift;
    vdi__store(dtype, &shift, 0, k->sum((size_t)cols, x) / (double)cols);
    k->binary[VDI_SUB]((size_t)cols, x, 1, &shift, 0, e);
    double rstd = 1 / sqrt(k->dot((size_t)cols, e, e) / (double)cols + eps);
    k->axpby((size_t)cols, rstd, e, 0, e);
    return rstd;
}

/* With e the normalised row and g = dy gain: dx = rstd (g - mean g - e mean(g e)). */
VDI__FN void vdi__layer_norm_back(vdi_tape *t, vdi__node *n) {
    const vdi__kernels *k = t->k[n->dtype];
    vdi__node *x = n->in[0], *gain = n->in[1], *bias = n->in[2];
    int64_t cols = x->shape[x->ndim - 1], rows = cols ? x->count / cols : 0;
    size_t width = (size_t)cols, bytes = width * vdi__real_size(n->dtype);
    void *gx = vdi__wants(x) ? vdi__grad_zeroed(t, x) : NULL;
    void *gg = vdi__wants(gain) ? vdi__grad_zeroed(t, gain) : NULL;
    void *gb = vdi__wants(bias) ? vdi__grad_zeroed(t, bias) : NULL;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *e = vdi__tape_data(t, "vdi_var_layer_norm", bytes);
    void *g = vdi__tape_data(t, "vdi_var_layer_norm", bytes);
    if (!t->measure && t->status >= 0) {
        if (gb) k->sum_rows((size_t)rows, width, n->grad, width, 1, gb);
        for (int64_t r = 0; r < rows; r++) {
            const void *dy = vdi__elem(n, n->grad, r * cols);
            vdi__one shift;
            double rstd =
                vdi__normalise(k, n->dtype, cols, n->p, vdi__elem(x, x->value, r * cols), e);
            if (gg) k->muladd(width, dy, 1, e, 1, gg);
            if (!gx) continue;
            if (gain)
                k->binary[VDI_MUL](width, dy, 1, gain->value, 1, g);
            else
                memcpy(g, dy, bytes);
            double along = k->dot(width, g, e) / (double)cols;
            vdi__store(n->dtype, &shift, 0, k->sum(width, g) / (double)cols);
            k->binary[VDI_SUB](width, g, 1, &shift, 0, g);
            k->axpby(width, -along, e, 1, g);
            k->axpby(width, rstd, g, 1, vdi__elem(x, gx, r * cols));
        }
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_layer_norm(vdi_tape *t, vdi_var xv, vdi_var gv, vdi_var bv, double eps) {
    static const char where[] = "vdi_var_layer_norm";
    vdi__node *x = vdi__arg(t, xv, where), *arg[2] = {NULL, NULL};
    unsigned flags;
    if (!x) return vdi_var_none();
    if (x->ndim < 1) {
        return vdi_tape_fail(t, VDI_ERR_SHAPE, where,
                             "the argument is a scalar, expected at least one axis");
    }
    int64_t cols = x->shape[x->ndim - 1], rows = cols ? x->count / cols : 0;
    flags = x->flags;
    for (int i = 0; i < 2; i++) {
        vdi_var v = i ? bv : gv;
        if (!vdi_var_ok(v)) continue;
        arg[i] = vdi__arg(t, v, where);
        if (!arg[i] || !vdi__same_dtype(t, where, x, arg[i])) return vdi_var_none();
        if (arg[i]->count != cols) {
            return vdi__shapes_differ(t, where, x, arg[i],
                                      "gain and bias have the extent of the last axis");
        }
        flags |= arg[i]->flags;
    }
    vdi__node *n = vdi__node_like(t, where, x, true);
    if (!n) return vdi_var_none();
    n->in[0] = x;
    n->in[1] = arg[0];
    n->in[2] = arg[1];
    n->p = eps > 0 ? eps : 1e-5;
    const vdi__kernels *k = t->k[n->dtype];
    for (int64_t r = 0; r < rows && !t->measure; r++) {
        void *y = vdi__elem(n, n->value, r * cols);
        (void)vdi__normalise(k, n->dtype, cols, n->p, vdi__elem(x, x->value, r * cols), y);
        if (arg[0]) k->binary[VDI_MUL]((size_t)cols, y, 1, arg[0]->value, 1, y);
        if (arg[1]) k->binary[VDI_ADD]((size_t)cols, y, 1, arg[1]->value, 1, y);
    }
    return vdi__node_link(t, n, flags, vdi__layer_norm_back);
}

/* ======== convolution ========================================================================= */

VDI__FN void vdi__conv1d_back(vdi_tape *t, vdi__node *n) {
    vdi__node *x = n->in[0], *w = n->in[1], *b = n->in[2];
    const vdi_conv1d_shape *s = (const vdi_conv1d_shape *)n->extra;
    vdi_dtype dtype = (vdi_dtype)n->dtype;
    void *gx = vdi__wants(x) ? vdi__grad_zeroed(t, x) : NULL;
    void *gw = vdi__wants(w) ? vdi__grad_zeroed(t, w) : NULL;
    void *gb = vdi__wants(b) ? vdi__grad_zeroed(t, b) : NULL;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *dz = vdi__act_back(t, n, "vdi_var_conv1d");
    void *work = gx ? vdi__tape_data(t, "vdi_var_conv1d",
                                     vdi_conv1d_grad_work(s->cin, s->cout, s->width) *
                                         vdi__real_size(n->dtype))
                    : NULL;
    void *unwanted = !gw && gb ? vdi__tape_data(t, "vdi_var_conv1d", vdi__node_bytes(w)) : NULL;
    if (!t->measure && t->status >= 0) {
        if (unwanted) memset(unwanted, 0, vdi__node_bytes(w));
        if (gw || gb)
            vdi_conv1d_dilated_grad_weight(dtype, s, dz, x->value, gw ? gw : unwanted, gb);
        if (gx) vdi_conv1d_dilated_grad_input(dtype, s, dz, w->value, work, gx);
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_conv1d_dilated(vdi_tape *t, vdi_var xv, vdi_var wv, vdi_var bv,
                                        int64_t dilation, int64_t pad_left, vdi_act act,
                                        double act_param) {
    static const char where[] = "vdi_var_conv1d";
    vdi__node *arg[3];
    int64_t shape[3];
    if (!vdi__layer_args(t, where, xv, wv, bv, act, 3, arg)) return vdi_var_none();
    vdi__node *x = arg[0], *w = arg[1], *b = arg[2];
    int64_t width = w->shape[0];
    if (x->ndim != 3)
        return vdi__shapes_differ(t, where, x, w, "x has to be (batch, time, channels)");
    if (dilation == 0) dilation = 1;
    if (dilation < 1 || dilation > (int64_t)1 << 30 || width > (int64_t)1 << 30) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where,
                             "dilation is %lld, width %lld, expected 1..2^30", (long long)dilation,
                             (long long)width);
    }
    if (pad_left == -1) pad_left = dilation * ((width - 1) / 2);
    if (width < 1 || pad_left < 0 || pad_left > dilation * (width - 1)) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where,
                             "width is %lld, pad_left %lld, expected 0..width-1", (long long)width,
                             (long long)pad_left);
    }
    shape[0] = x->shape[0];
    shape[1] = x->shape[1];
    shape[2] = w->shape[2];
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, 3, shape, true);
    vdi_conv1d_shape *keep =
        n ? (vdi_conv1d_shape *)vdi__tape_payload(t, where, sizeof *keep) : NULL;
    if (!keep) return vdi_var_none();
    keep->batch = (size_t)shape[0];
    keep->t = (size_t)shape[1];
    keep->cin = (size_t)x->shape[2];
    keep->cout = (size_t)shape[2];
    keep->width = (size_t)width;
    keep->pad_left = (size_t)pad_left;
    keep->dilation = (size_t)dilation;
    n->in[0] = x;
    n->in[1] = w;
    n->in[2] = b;
    n->op = (uint8_t)act;
    n->p = vdi__act_param(act, act_param);
    n->extra = keep;
    if (!t->measure) {
        vdi_conv1d_dilated((vdi_dtype)n->dtype, keep, x->value, w->value, b ? b->value : NULL, act,
                           n->p, n->value);
    }
    return vdi__node_link(t, n, (unsigned)(x->flags | w->flags | (b ? b->flags : 0)),
                          vdi__conv1d_back);
}

VDI__DEF vdi_var vdi_var_conv1d(vdi_tape *t, vdi_var x, vdi_var w, vdi_var b, int64_t pad_left,
                                vdi_act act, double act_param) {
    return vdi_var_conv1d_dilated(t, x, w, b, 1, pad_left, act, act_param);
}

/* ======== gated recurrent unit ================================================================ */

typedef struct vdi__gru_node {
    size_t time, batch, hidden;
    vdi__node *xp, *w, *b, *h0;
    void *gates;
    bool reverse;
} vdi__gru_node;

VDI__FN void vdi__gru_back(vdi_tape *t, vdi__node *n) {
    static const char where[] = "vdi_var_gru";
    const vdi__gru_node *p = (const vdi__gru_node *)n->extra;
    size_t size = vdi__real_size(n->dtype);
    void *gx = vdi__wants(p->xp) ? vdi__grad_zeroed(t, p->xp) : NULL;
    void *gw = vdi__wants(p->w) ? vdi__grad_zeroed(t, p->w) : NULL;
    void *gb = vdi__wants(p->b) ? vdi__grad_zeroed(t, p->b) : NULL;
    void *gh = vdi__wants(p->h0) ? vdi__grad_zeroed(t, p->h0) : NULL;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *dh = vdi__tape_data(t, where, vdi__node_bytes(n));
    void *work =
        vdi__tape_data(t, where, vdi_gru_backward_work(p->time, p->batch, p->hidden) * size);
    /* the kernel has to put it somewhere */
    void *dxp = gx ? gx : vdi__tape_data(t, where, vdi__node_bytes(p->xp));
    if (!t->measure && t->status >= 0) {
        memcpy(dh, n->grad, vdi__node_bytes(n)); /* the kernel uses it up */
        if (!gx) memset(dxp, 0, vdi__node_bytes(p->xp));
        vdi_gru_backward((vdi_dtype)n->dtype, p->time, p->batch, p->hidden, p->reverse, p->w->value,
                         p->h0 ? p->h0->value : NULL, n->value, p->gates, dh, work, dxp, gw, gb,
                         gh);
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_gru(vdi_tape *t, vdi_var xv, vdi_var wv, vdi_var bv, vdi_var hv,
                             bool reverse) {
    static const char where[] = "vdi_var_gru";
    int64_t shape[3];
    vdi__node *xp = vdi__arg(t, xv, where);
    vdi__node *w = vdi__arg(t, wv, where);
    vdi__node *b = vdi__arg(t, bv, where);
    vdi__node *h0 = NULL;
    if (!xp || !w || !b || !vdi__same_dtype(t, where, xp, w) || !vdi__same_dtype(t, where, xp, b))
        return vdi_var_none();
    if (w->ndim != 2 || w->shape[1] != 3 * w->shape[0])
        return vdi__shapes_differ(t, where, xp, w, "W_hh has to be (H,3H)");
    if (xp->ndim != 3 || xp->shape[2] != w->shape[1])
        return vdi__shapes_differ(t, where, xp, w, "xp has to be (T,B,3H)");
    if (b->count != w->shape[1]) return vdi__shapes_differ(t, where, w, b, "b_hh has to be (3H)");
    shape[0] = xp->shape[0];
    shape[1] = xp->shape[1];
    shape[2] = w->shape[0];
    if (vdi_var_ok(hv)) {
        h0 = vdi__arg(t, hv, where);
        if (!h0 || !vdi__same_dtype(t, where, xp, h0)) return vdi_var_none();
        if (h0->ndim != 2 || h0->shape[0] != shape[1] || h0->shape[1] != shape[2])
            return vdi__shapes_differ(t, where, xp, h0, "h0 has to be (B,H)");
    }
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)xp->dtype, 3, shape, true);
    vdi__gru_node *p = n ? (vdi__gru_node *)vdi__tape_payload(t, where, sizeof *p) : NULL;
    if (!p) return vdi_var_none();
    unsigned flags = (unsigned)(xp->flags | w->flags | b->flags | (h0 ? h0->flags : 0));
    size_t size = vdi__real_size(n->dtype);
    p->time = (size_t)shape[0];
    p->batch = (size_t)shape[1];
    p->hidden = (size_t)shape[2];
    p->xp = xp;
    p->w = w;
    p->b = b;
    p->h0 = h0;
    p->reverse = reverse;
    p->gates = NULL;
    n->extra = p;
    if (flags & VDI__NODE_GRAD) {
        p->gates = vdi__tape_data(t, where, p->time * p->batch * 4 * p->hidden * size);
        if (!p->gates) return vdi_var_none();
    }
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *work = vdi__tape_data(t, where, p->batch * 3 * p->hidden * size);
    if (work && !t->measure) {
        vdi_gru_forward((vdi_dtype)n->dtype, p->time, p->batch, p->hidden, reverse, xp->value,
                        w->value, b->value, h0 ? h0->value : NULL, work, n->value, p->gates);
    }
    vdi__scratch_end(t, m);
    return work ? vdi__node_link(t, n, flags, vdi__gru_back) : vdi_var_none();
}

/* ======== Cholesky and triangles ============================================================== */

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
            for (int64_t j = 0; j < n; j++)
                q[i * n + j] = j < i ? p[i * n + j] : j == i ? (real)diagonal * p[i * n + j] : 0;
        }
    });
}

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
