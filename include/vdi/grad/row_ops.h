/* grad/row_ops.h - rows by index: gather them from one variable, or pick each from one of several
 *
 * Do this:
 *     int64_t index[3] = {2, 0, 2};
 *     vdi_var rows = vdi_var_gather(t, x, vdi_tensor_1d(index, VDI_I64, 3));       x[2], x[0], x[2]
 *     vdi_var least = vdi_var_pick_min(t, 3, parts, parts);           row by row the least of three
 *
 * Rows are what follows the first axis. Indices are copied, and checked.
 */
#ifndef VDI_GRAD_ROW_OPS_H
#define VDI_GRAD_ROW_OPS_H
#include "tape.h"

/** Rows x[index[i], ...]: index is packed int64 (n), and is copied; gradients of repeated rows add
 * up in rising order of i. */
VDI_API vdi_var vdi_var_gather(vdi_tape *t, vdi_var x, vdi_tensor index);
/** Row r of value[index[r]]: the `count` values have one shape (R, ...), `index` is packed int64
 * (R). The gradient goes to the row's
 *  source. `index` is copied. */
VDI_API vdi_var vdi_var_pick(vdi_tape *t, int count, const vdi_var *value, vdi_tensor index);
/** Row r of value[j*], j* = the first j with the smallest key[j][r]; keys (R), values (R, ...). No
 * gradient to the keys: the
 *  composite twin minimum of SAC-D. */
VDI_API vdi_var vdi_var_pick_min(vdi_tape *t, int count, const vdi_var *key, const vdi_var *value);

#endif /* VDI_GRAD_ROW_OPS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_ROW_OPS_C)
#define VDI_GRAD_ROW_OPS_C

/* Packed int64 with one axis, and data unless the tape only measures. */
VDI__FN bool vdi__is_index(const vdi_tape *t, vdi_tensor index) {
    return index.dtype == VDI_I64 && index.ndim == 1 && vdi_tensor_is_contiguous(index) &&
           (index.data || t->measure || index.shape[0] == 0);
}

/* ======== gather ============================================================================== */

VDI__FN void vdi__gather_back(vdi_tape *t, vdi__node *n) {
    vdi__node *x = n->in[0];
    void *g = vdi__grad_zeroed(t, x);
    if (!g || t->measure) return;
    size_t rows = (size_t)x->shape[0], cols = rows ? (size_t)x->count / rows : 0;
    (void)vdi_scatter_add_rows((vdi_dtype)n->dtype, (size_t)n->shape[0], (const int64_t *)n->extra,
                               rows, cols, n->grad, cols, g, cols);
}

VDI__DEF vdi_var vdi_var_gather(vdi_tape *t, vdi_var xv, vdi_tensor index) {
    static const char where[] = "vdi_var_gather";
    int64_t shape[VDI_MAX_DIMS];
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    if (x->ndim < 1)
        return vdi_tape_fail(t, VDI_ERR_SHAPE, where, "the argument is a scalar, expected rows");
    if (!vdi__is_index(t, index)) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where,
                             "expected an index of packed int64 with one axis");
    }
    for (int i = 0; i < x->ndim; i++)
        shape[i] = i ? x->shape[i] : index.shape[0];
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, x->ndim, shape, true);
    int64_t *own = n ? (int64_t *)vdi__tape_data(t, where, (size_t)shape[0] * sizeof *own) : NULL;
    if (!own) return vdi_var_none();
    n->in[0] = x;
    n->extra = own;
    if (!t->measure && shape[0]) {
        size_t rows = (size_t)x->shape[0], cols = rows ? (size_t)x->count / rows : 0;
        memcpy(own, index.data, (size_t)shape[0] * sizeof *own);
        for (int64_t i = 0; i < shape[0]; i++) {
            if (own[i] < 0 || own[i] >= x->shape[0]) {
                return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where,
                                     "index[%lld] is %lld, expected 0..%lld", (long long)i,
                                     (long long)own[i], (long long)x->shape[0] - 1);
            }
        }
        (void)vdi_gather_rows((vdi_dtype)n->dtype, (size_t)shape[0], own, rows, cols, x->value,
                              cols, n->value, cols);
    }
    return vdi__node_link(t, n, x->flags, vdi__gather_back);
}

/* ======== pick ================================================================================ */

typedef struct vdi__pick_node {
    int64_t rows, cols;
    int32_t *index; /* data */
    vdi__node **in;
    int count;
} vdi__pick_node;

VDI__FN void vdi__pick_back(vdi_tape *t, vdi__node *n) {
    vdi__pick_node *p = (vdi__pick_node *)n->extra;
    for (int j = 0; j < p->count; j++) {
        if (!vdi__wants(p->in[j])) continue;
        void *g = vdi__grad_zeroed(t, p->in[j]);
        if (!g || t->measure) continue;
        for (int64_t r = 0; r < p->rows; r++) {
            if (p->index[r] == j) {
                t->k[n->dtype]->axpby((size_t)p->cols, 1, vdi__elem(n, n->grad, r * p->cols), 1,
                                      vdi__elem(n, g, r * p->cols));
            }
        }
    }
}

/* Checks the values and makes the node, with the index still open. */
VDI__FN vdi__node *vdi__pick_new(vdi_tape *t, const char *where, int count, const vdi_var *value,
                                 unsigned *flags) {
    if (count < 1) {
        (void)vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "%d values, expected at least one", count);
        return NULL;
    }
    vdi__node *first = vdi__arg(t, value[0], where), *n = NULL;
    if (!first) return NULL;
    if (first->ndim < 1) {
        (void)vdi_tape_fail(t, VDI_ERR_SHAPE, where, "the values are scalars, expected rows");
        return NULL;
    }
    vdi__pick_node *p =
        (vdi__pick_node *)vdi__tape_payload(t, where, sizeof *p + (size_t)count * sizeof *p->in);
    if (!p) return NULL;
    p->count = count;
    p->in = (vdi__node **)(void *)(p + 1);
    p->rows = first->shape[0];
    p->cols = p->rows ? first->count / p->rows : 0;
    *flags = 0;
    for (int j = 0; j < count; j++) {
        vdi__node *x = p->in[j] = vdi__arg(t, value[j], where);
        if (!x || !vdi__same_dtype(t, where, first, x)) return NULL;
        if (!vdi__same_shape(first, x)) {
            (void)vdi__shapes_differ(t, where, first, x, "expected one shape");
            return NULL;
        }
        *flags |= x->flags;
    }
    p->index = (int32_t *)vdi__tape_data(t, where, (size_t)p->rows * sizeof *p->index);
    n = p->index ? vdi__node_like(t, where, first, true) : NULL;
    if (n) n->extra = p;
    return n;
}

VDI__FN vdi_var vdi__pick_run(vdi_tape *t, vdi__node *n, unsigned flags) {
    vdi__pick_node *p = (vdi__pick_node *)n->extra;
    size_t bytes = (size_t)p->cols * vdi__real_size(n->dtype);
    if (!t->measure && bytes) {
        for (int64_t r = 0; r < p->rows; r++) {
            memcpy(vdi__elem(n, n->value, r * p->cols),
                   vdi__elem(n, p->in[p->index[r]]->value, r * p->cols), bytes);
        }
    }
    return vdi__node_link(t, n, flags, vdi__pick_back);
}

VDI__DEF vdi_var vdi_var_pick(vdi_tape *t, int count, const vdi_var *value, vdi_tensor index) {
    static const char where[] = "vdi_var_pick";
    unsigned flags;
    vdi__node *n = vdi__pick_new(t, where, count, value, &flags);
    if (!n) return vdi_var_none();
    vdi__pick_node *p = (vdi__pick_node *)n->extra;
    if (!vdi__is_index(t, index) || index.shape[0] != p->rows) {
        return vdi_tape_fail(t, VDI_ERR_SHAPE, where, "expected an index of %lld packed int64",
                             (long long)p->rows);
    }
    if (!t->measure) {
        for (int64_t r = 0; r < p->rows; r++) {
            int64_t j = ((const int64_t *)index.data)[r];
            if (j < 0 || j >= count) {
                return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where,
                                     "index[%lld] is %lld, expected 0..%d", (long long)r,
                                     (long long)j, count - 1);
            }
            p->index[r] = (int32_t)j;
        }
    }
    return vdi__pick_run(t, n, flags);
}

VDI__DEF vdi_var vdi_var_pick_min(vdi_tape *t, int count, const vdi_var *key,
                                  const vdi_var *value) {
    static const char where[] = "vdi_var_pick_min";
    unsigned flags;
    vdi__node *n = vdi__pick_new(t, where, count, value, &flags);
    if (!n) return vdi_var_none();
    vdi__pick_node *p = (vdi__pick_node *)n->extra;
    if (!t->measure) memset(p->index, 0, (size_t)p->rows * sizeof *p->index);
    vdi__node *best = NULL;
    for (int j = 0; j < count; j++) {
        vdi__node *k = vdi__arg(t, key[j], where);
        if (!k || !vdi__same_dtype(t, where, n, k)) return vdi_var_none();
        if (k->count != p->rows)
            return vdi__shapes_differ(t, where, k, n, "expected one key for each row");
        if (j == 0) best = k;
        if (t->measure || j == 0) continue;
        for (int64_t r = 0; r < p->rows; r++) {
            best = vdi__arg(t, key[p->index[r]], where);
            if (vdi__load(k->dtype, vdi__elem(k, k->value, r), 0) <
                vdi__load(k->dtype, vdi__elem(best, best->value, r), 0))
                p->index[r] = j;
        }
    }
    (void)best;
    return vdi__pick_run(t, n, flags);
}
#endif
