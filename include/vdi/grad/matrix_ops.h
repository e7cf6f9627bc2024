/* grad/matrix_ops.h - products, dense layers and layer norm
 *
 * Do this:
 *     vdi_var h = vdi_var_affine(t, x, w, b, VDI_ACT_RELU, 0);             act(x W + b), one pass
 *     vdi_var s = vdi_var_matmul(t, a, a, VDI_GEMM_TB);        A A', for each matrix of a batch
 *
 * Each is one node: forward and backward are whole kernels. The gradient of a weight is added by
 * the product itself to the parameter's gradient; the gradient of an input is computed only where
 * it is wanted.
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

#endif /* VDI_GRAD_MATRIX_OPS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_MATRIX_OPS_C)
#define VDI_GRAD_MATRIX_OPS_C

/* The elementwise operation of each activation. */
static const vdi_unary_op vdi__act_unary[] = {VDI_IDENTITY, VDI_RELU,     VDI_LEAKY_RELU, VDI_TANH,
                                              VDI_SIGMOID,  VDI_SOFTPLUS, VDI_EXP};

static const char *const vdi__act_words[] = {"none",    "relu",     "leaky_relu", "tanh",
                                             "sigmoid", "softplus", "exp",        NULL};

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
#endif
