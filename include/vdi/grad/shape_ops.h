/* grad/shape_ops.h - operations that move data: reshape, slice, concatenate, gather, and the linear
 * recurrence along an axis
 *
 * Do this:
 *     vdi_var z = vdi_var_slice(t, x, 1, 0, 1, T - 1);              x[:, 0:T-1]
 *     vdi_var y = vdi_var_concat(t, parts, 3, -1);                  along the last axis
 *     vdi_var c = vdi_var_scan(t, gamma, spikes, vdi_var_none(), 1);   c_t = gamma c_{t-1} + s_t
 *
 * Results are packed. reshape, and a slice of the leading axis, share the memory of their argument;
 * everything else copies.
 */
#ifndef VDI_GRAD_SHAPE_OPS_H
#define VDI_GRAD_SHAPE_OPS_H
#include "ops.h"

/** Another shape with as many elements; one extent may be -1. */
VDI_API vdi_var vdi_var_reshape(vdi_tape *t, vdi_var x, int ndim, const int64_t *shape);
/** A new axis of extent 1 before `axis` (-1: at the end). */
VDI_API vdi_var vdi_var_unsqueeze(vdi_tape *t, vdi_var x, int axis);
/** Axes in another order: axis i of the result is axis order[i] of x. */
VDI_API vdi_var vdi_var_permute(vdi_tape *t, vdi_var x, const int *order);
/** The last two axes exchanged. */
VDI_API vdi_var vdi_var_transpose(vdi_tape *t, vdi_var x);
/** Elements start, start+step, ... of one axis, `count` of them; step may be negative. */
VDI_API vdi_var vdi_var_slice(vdi_tape *t, vdi_var x, int axis, int64_t start, int64_t step,
                              int64_t count);
/** One index of an axis (negative from the end); the axis disappears. */
VDI_API vdi_var vdi_var_index(vdi_tape *t, vdi_var x, int axis, int64_t i);
/** Joined along an existing axis. */
VDI_API vdi_var vdi_var_concat(vdi_tape *t, const vdi_var *x, int count, int axis);
/** Joined along a new axis before `axis`. */
VDI_API vdi_var vdi_var_stack(vdi_tape *t, const vdi_var *x, int count, int axis);
/** Rows x[index[i], ...]: index is packed int64 (n), and is copied; gradients of repeated rows add
 * up in rising order of i. */
VDI_API vdi_var vdi_var_gather(vdi_tape *t, vdi_var x, vdi_tensor index);
/** Repeated to a larger shape, by NumPy's rules. */
VDI_API vdi_var vdi_var_broadcast_to(vdi_tape *t, vdi_var x, int ndim, const int64_t *shape);
/** c_t = a_t c_{t-1} + b_t along an axis: an AR(1) filter. a broadcasts to the shape of b; c0 (the
 * shape of b without the axis)
 *  stands before the first element, and is zero if it is the null variable. */
VDI_API vdi_var vdi_var_scan(vdi_tape *t, vdi_var a, vdi_var b, vdi_var c0, int axis);

#endif /* VDI_GRAD_SHAPE_OPS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_SHAPE_OPS_C)
#define VDI_GRAD_SHAPE_OPS_C

/* ======== the same elements in another shape ================================================== */

VDI__DEF vdi_var vdi_var_reshape(vdi_tape *t, vdi_var xv, int ndim, const int64_t *shape) {
    static const char where[] = "vdi_var_reshape";
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    vdi_tensor r = vdi_tensor_reshape(vdi__node_tensor(t, x, NULL), ndim, shape);
    if (!vdi_tensor_ok(r)) {
        vdi_tensor wanted = vdi__tensor_null();
        wanted.ndim = VDI__MAX(0, VDI__MIN(ndim, VDI_MAX_DIMS));
        for (int i = 0; i < wanted.ndim; i++)
            wanted.shape[i] = shape[i];
        return vdi_tape_fail(t, VDI_ERR_SHAPE, where, "%s: shape %s cannot become %s", where,
                             vdi__node_text(x, a), vdi_tensor_shape_text(wanted, b));
    }
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, r.ndim, r.shape, false);
    if (!n) return vdi_var_none();
    n->value = x->value;
    n->in[0] = x;
    return vdi__node_link(t, n, x->flags, vdi__through_back);
}

VDI__DEF vdi_var vdi_var_unsqueeze(vdi_tape *t, vdi_var xv, int axis) {
    static const char where[] = "vdi_var_unsqueeze";
    int64_t shape[VDI_MAX_DIMS + 1];
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    if (axis < 0) axis += x->ndim + 1;
    if (axis < 0 || axis > x->ndim || x->ndim == VDI_MAX_DIMS)
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "no new axis %d among %d", axis, x->ndim);
    for (int i = 0; i <= x->ndim; i++)
        shape[i] = i < axis ? x->shape[i] : i == axis ? 1 : x->shape[i - 1];
    return vdi_var_reshape(t, xv, x->ndim + 1, shape);
}

/* ======== permute ============================================================================= */

/* y (packed, shape) from x with the given strides, or (back) added from y to x. */
VDI__FN void vdi__strided(const vdi__kernels *k, unsigned dtype, int ndim, const int64_t *shape,
                          const int64_t *stride, void *x, void *y, bool back) {
    int64_t i[VDI_MAX_DIMS] = {0};
    int64_t at = 0;
    int64_t row = ndim ? shape[ndim - 1] : 1;
    int64_t step = ndim ? stride[ndim - 1] : 1;
    int64_t rows = 1;
    int64_t size = (int64_t)vdi__real_size(dtype);
    for (int d = 0; d + 1 < ndim; d++)
        rows *= shape[d];
    if (row == 0) return;
    for (int64_t r = 0; r < rows; r++) {
        char *from = (char *)x + at * size, *to = (char *)y + r * row * size;
        if (step == 1 && !back) {
            memcpy(to, from, (size_t)(row * size));
        } else if (step == 1) {
            k->axpby((size_t)row, 1, to, 1, from);
        } else {
            VDI__BOTH(dtype, {
                real *p = (real *)(void *)from, *q = (real *)(void *)to;
                if (back) {
                    for (int64_t j = 0; j < row; j++)
                        p[j * step] += q[j];
                } else {
                    for (int64_t j = 0; j < row; j++)
                        q[j] = p[j * step];
                }
            });
        }
        for (int d = ndim - 2; d >= 0; d--) {
            at += stride[d];
            if (++i[d] < shape[d]) break;
            at -= stride[d] * shape[d];
            i[d] = 0;
        }
    }
}

VDI__FN void vdi__permute_back(vdi_tape *t, vdi__node *n) {
    void *g = vdi__grad_zeroed(t, n->in[0]);
    if (g && !t->measure) {
        vdi__strided(t->k[n->dtype], n->dtype, n->ndim, n->shape, (const int64_t *)n->extra, g,
                     n->grad, true);
    }
}

VDI__DEF vdi_var vdi_var_permute(vdi_tape *t, vdi_var xv, const int *order) {
    static const char where[] = "vdi_var_permute";
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    vdi_tensor r = vdi_tensor_permute(vdi__node_tensor(t, x, NULL), order);
    if (!vdi_tensor_ok(r)) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "the order is no permutation of %d axes",
                             x->ndim);
    }
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, r.ndim, r.shape, true);
    int64_t *stride = n ? (int64_t *)vdi__tape_payload(t, where, sizeof r.stride) : NULL;
    if (!stride) return vdi_var_none();
    memcpy(stride, r.stride, sizeof r.stride);
    n->in[0] = x;
    n->extra = stride;
    if (!t->measure) {
        vdi__strided(t->k[n->dtype], n->dtype, n->ndim, n->shape, stride, x->value, n->value,
                     false);
    }
    return vdi__node_link(t, n, x->flags, vdi__permute_back);
}

VDI__DEF vdi_var vdi_var_transpose(vdi_tape *t, vdi_var xv) {
    int order[VDI_MAX_DIMS] = {0, 1, 2, 3, 4, 5};
    vdi__node *x = vdi__arg(t, xv, "vdi_var_transpose");
    if (!x) return vdi_var_none();
    if (x->ndim < 2) {
        return vdi_tape_fail(t, VDI_ERR_SHAPE, "vdi_var_transpose",
                             "expected two axes or more, got %d", x->ndim);
    }
    order[x->ndim - 2] = x->ndim - 1;
    order[x->ndim - 1] = x->ndim - 2;
    return vdi_var_permute(t, xv, order);
}

/* ======== slices and joins ==================================================================== */

/* `outer` blocks of `width` elements: y at its pitch = x at its pitch, or += */
VDI__FN void vdi__blocks(const vdi__kernels *k, unsigned dtype, int64_t outer, int64_t width,
                         const void *x, int64_t x_pitch, void *y, int64_t y_pitch, bool add) {
    int64_t size = (int64_t)vdi__real_size(dtype);
    if (width == 0) return;
    for (int64_t o = 0; o < outer; o++) {
        const char *from = (const char *)x + o * x_pitch * size;
        char *to = (char *)y + o * y_pitch * size;
        if (add)
            k->axpby((size_t)width, 1, from, 1, to);
        else
            memcpy(to, from, (size_t)(width * size));
    }
}

typedef struct vdi__slice_node {
    vdi__split s;
    int64_t start, step, count;
} vdi__slice_node;

VDI__FN void vdi__slice_back(vdi_tape *t, vdi__node *n) {
    const vdi__slice_node *p = (const vdi__slice_node *)n->extra;
    const vdi__kernels *k = t->k[n->dtype];
    vdi__node *x = n->in[0];
    void *g = vdi__grad_zeroed(t, x);
    if (!g || t->measure) return;
    int64_t inner = p->s.inner, pitch = p->s.n * inner;
    if (p->step == 1) {
        vdi__blocks(k, n->dtype, p->s.outer, p->count * inner, n->grad, p->count * inner,
                    vdi__elem(x, g, p->start * inner), pitch, true);
    } else {
        for (int64_t i = 0; i < p->count; i++) {
            vdi__blocks(k, n->dtype, p->s.outer, inner, vdi__elem(n, n->grad, i * inner),
                        p->count * inner, vdi__elem(x, g, (p->start + i * p->step) * inner), pitch,
                        true);
        }
    }
}

VDI__FN vdi_var vdi__slice(vdi_tape *t, const char *where, vdi_var xv, int axis, int64_t start,
                           int64_t step, int64_t count, bool drop) {
    char text[VDI_SHAPE_TEXT];
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x || (axis = vdi__axis(t, where, x, axis)) < 0) return vdi_var_none();
    if (drop && start < 0) start += x->shape[axis];
    if (!vdi_tensor_ok(vdi_tensor_slice(vdi__node_tensor(t, x, NULL), axis, start, step, count))) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where,
                             "%s: %lld elements from %lld by %lld do not fit axis %d of shape %s",
                             where, (long long)count, (long long)start, (long long)step, axis,
                             vdi__node_text(x, text));
    }
    int64_t shape[VDI_MAX_DIMS];
    int ndim = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (i != axis)
            shape[ndim++] = x->shape[i];
        else if (!drop)
            shape[ndim++] = count;
    }
    vdi__split s = vdi__split_at(x, axis);
    bool view = s.outer == 1 && (step == 1 || count == 1);
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, ndim, shape, !view);
    vdi__slice_node *p = n ? (vdi__slice_node *)vdi__tape_payload(t, where, sizeof *p) : NULL;
    if (!p) return vdi_var_none();
    p->s = s;
    p->start = start;
    p->step = count == 1 ? 1 : step;
    p->count = count;
    n->in[0] = x;
    n->extra = p;
    const vdi__kernels *k = t->k[n->dtype];
    if (view) {
        n->value = t->measure ? VDI__PHANTOM : vdi__elem(x, x->value, count ? start * s.inner : 0);
    } else if (t->measure) {
    } else if (p->step == 1) {
        vdi__blocks(k, n->dtype, s.outer, count * s.inner, vdi__elem(x, x->value, start * s.inner),
                    s.n * s.inner, n->value, count * s.inner, false);
    } else {
        for (int64_t i = 0; i < count; i++) {
            vdi__blocks(k, n->dtype, s.outer, s.inner,
                        vdi__elem(x, x->value, (start + i * step) * s.inner), s.n * s.inner,
                        vdi__elem(n, n->value, i * s.inner), count * s.inner, false);
        }
    }
    return vdi__node_link(t, n, x->flags, vdi__slice_back);
}

VDI__DEF vdi_var vdi_var_slice(vdi_tape *t, vdi_var x, int axis, int64_t start, int64_t step,
                               int64_t count) {
    return vdi__slice(t, "vdi_var_slice", x, axis, start, step, count, false);
}
VDI__DEF vdi_var vdi_var_index(vdi_tape *t, vdi_var x, int axis, int64_t i) {
    return vdi__slice(t, "vdi_var_index", x, axis, i, 1, 1, true);
}

typedef struct vdi__concat_node {
    int count;
    int64_t outer, inner, total; /* total: extent of the joined axis */
    vdi__node **in;
    int64_t *extent;
} vdi__concat_node;

VDI__FN void vdi__concat_back(vdi_tape *t, vdi__node *n) {
    const vdi__concat_node *p = (const vdi__concat_node *)n->extra;
    int64_t at = 0;
    for (int i = 0; i < p->count; i++) {
        int64_t width = p->extent[i] * p->inner;
        bool add;
        if (vdi__wants(p->in[i])) {
            void *g = vdi__grad_open(t, p->in[i], &add);
            if (!g) return;
            if (!t->measure) {
                vdi__blocks(t->k[n->dtype], n->dtype, p->outer, width, vdi__elem(n, n->grad, at),
                            p->total * p->inner, g, width, add);
            }
        }
        at += width;
    }
}

/* axis is one of the result; with `fresh` it is new, and every argument counts as one slice of
 * it. */
VDI__FN vdi_var vdi__join(vdi_tape *t, const char *where, const vdi_var *xv, int count, int axis,
                          bool fresh) {
    int64_t shape[VDI_MAX_DIMS + 1];
    unsigned flags = 0;
    if (count < 1) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "%d arguments, expected at least one",
                             count);
    }
    vdi__node *first = vdi__arg(t, xv[0], where);
    if (!first) return vdi_var_none();
    int ndim = first->ndim + fresh;
    if (axis < 0) axis += ndim;
    if (axis < 0 || axis >= ndim || ndim > VDI_MAX_DIMS)
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "axis %d of %d", axis, ndim);
    vdi__concat_node *p = (vdi__concat_node *)vdi__tape_payload(
        t, where, sizeof *p + (size_t)count * (sizeof *p->in + sizeof *p->extent));
    if (!p) return vdi_var_none();
    p->count = count;
    p->extent = (int64_t *)(void *)(p + 1);
    p->in = (vdi__node **)(void *)(p->extent + count);
    p->outer = p->inner = 1;
    p->total = 0;
    for (int i = 0; i < count; i++) {
        vdi__node *x = p->in[i] = vdi__arg(t, xv[i], where);
        if (!x || !vdi__same_dtype(t, where, first, x)) return vdi_var_none();
        bool fits = x->ndim == first->ndim;
        for (int d = 0; fits && d < x->ndim; d++)
            fits = (d == axis && !fresh) || x->shape[d] == first->shape[d];
        if (!fits) {
            return vdi__shapes_differ(t, where, first, x,
                                      "they may differ along the joined axis alone");
        }
        p->extent[i] = fresh ? 1 : x->shape[axis];
        p->total += p->extent[i];
        flags |= x->flags;
    }
    for (int d = 0; d < ndim; d++) {
        shape[d] = d == axis ? p->total : first->shape[fresh && d > axis ? d - 1 : d];
        if (d < axis) p->outer *= shape[d];
        if (d > axis) p->inner *= shape[d];
    }
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)first->dtype, ndim, shape, true);
    if (!n) return vdi_var_none();
    n->extra = p;
    int64_t at = 0;
    for (int i = 0; i < count && !t->measure; i++) {
        int64_t width = p->extent[i] * p->inner;
        vdi__blocks(t->k[n->dtype], n->dtype, p->outer, width, p->in[i]->value, width,
                    vdi__elem(n, n->value, at), p->total * p->inner, false);
        at += width;
    }
    return vdi__node_link(t, n, flags, vdi__concat_back);
}

VDI__DEF vdi_var vdi_var_concat(vdi_tape *t, const vdi_var *x, int count, int axis) {
    return vdi__join(t, "vdi_var_concat", x, count, axis, false);
}
VDI__DEF vdi_var vdi_var_stack(vdi_tape *t, const vdi_var *x, int count, int axis) {
    return vdi__join(t, "vdi_var_stack", x, count, axis, true);
}

/* ======== gather and broadcast ================================================================ */

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

VDI__FN void vdi__broadcast_to_back(vdi_tape *t, vdi__node *n) {
    const vdi__bcast *p = (const vdi__bcast *)n->extra;
    vdi__bcast_at r = VDI__ZERO;
    void *g = vdi__grad_zeroed(t, n->in[0]);
    if (!g || t->measure) return;
    for (int64_t i = 0; i < p->rows; i++, vdi__bcast_next(p, &r)) {
        void *to = vdi__elem(n, g, r.a), *dy = vdi__elem(n, n->grad, r.y);
        if (p->a_step) {
            t->k[n->dtype]->axpby((size_t)p->inner, 1, dy, 1, to);
        } else {
            vdi__store(n->dtype, to, 0,
                       vdi__load(n->dtype, to, 0) + t->k[n->dtype]->sum((size_t)p->inner, dy));
        }
    }
}

VDI__DEF vdi_var vdi_var_broadcast_to(vdi_tape *t, vdi_var xv, int ndim, const int64_t *shape) {
    static const char where[] = "vdi_var_broadcast_to";
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    vdi_tensor wanted = vdi_tensor_view(NULL, VDI_F32, ndim, shape);
    if (vdi_tensor_same_shape(wanted, vdi__node_tensor(t, x, NULL))) return xv;
    if (!vdi_tensor_ok(vdi_tensor_broadcast_to(vdi__node_tensor(t, x, NULL), ndim, shape))) {
        return vdi_tape_fail(t, VDI_ERR_SHAPE, where, "%s: shape %s does not broadcast to %s",
                             where, vdi__node_text(x, a), vdi_tensor_shape_text(wanted, b));
    }
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, ndim, shape, true);
    vdi__bcast *p = n ? (vdi__bcast *)vdi__tape_payload(t, where, sizeof *p) : NULL;
    if (!p) return vdi_var_none();
    vdi__bcast_make(p, ndim, shape, x, x);
    n->in[0] = x;
    n->extra = p;
    if (!t->measure) {
        vdi__bcast_at r = VDI__ZERO;
        for (int64_t i = 0; i < p->rows; i++, vdi__bcast_next(p, &r)) {
            const void *from = vdi__elem(n, x->value, r.a);
            void *to = vdi__elem(n, n->value, r.y);
            if (p->a_step)
                memcpy(to, from, (size_t)p->inner * vdi__real_size(n->dtype));
            else
                t->k[n->dtype]->fill((size_t)p->inner, vdi__load(n->dtype, from, 0), to);
        }
    }
    return vdi__node_link(t, n, x->flags, vdi__broadcast_to_back);
}

/* ======== linear recurrence =================================================================== */

/* Backward of c_t = a_t c_{t-1} + b_t: with g_t = dc_t + a_{t+1} g_{t+1}, db_t += g_t, da_t += g_t
 * c_{t-1}, dc0 += a_0 g_0. */
VDI__FN void vdi__scan_back(vdi_tape *t, vdi__node *n) {
    const vdi__split s = *(const vdi__split *)n->extra;
    const vdi__kernels *k = t->k[n->dtype];
    vdi__node *a = n->in[0], *b = n->in[1], *c0 = n->in[2];
    size_t width = (size_t)s.inner;
    void *ga = vdi__wants(a) ? vdi__grad_zeroed(t, a) : NULL;
    void *gb = vdi__wants(b) ? vdi__grad_zeroed(t, b) : NULL;
    void *gc = vdi__wants(c0) ? vdi__grad_zeroed(t, c0) : NULL;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *g = vdi__tape_data(t, "vdi_var_scan", width * vdi__real_size(n->dtype));
    for (int64_t o = 0; g && o < s.outer && !t->measure && t->status >= 0; o++) {
        int64_t base = o * s.n * s.inner;
        if (s.inner == 1) {
            VDI__BOTH(n->dtype, {
                const real *as = (const real *)a->value + base;
                const real *c = (const real *)n->value + base;
                const real *dc = (const real *)n->grad + base;
                real run = 0, next = 0;
                for (int64_t i = s.n - 1; i >= 0; i--) {
                    run = dc[i] + next * run;
                    next = as[i];
                    if (gb) ((real *)gb)[base + i] += run;
                    if (ga) {
                        ((real *)ga)[base + i] += run * (i    ? c[i - 1]
                                                         : c0 ? ((const real *)c0->value)[o]
                                                              : 0);
                    }
                }
                if (gc && s.n) ((real *)gc)[o] += next * run;
            });
        } else {
            for (int64_t i = s.n - 1; i >= 0; i--) {
                int64_t at = base + i * s.inner;
                if (i == s.n - 1) {
                    memcpy(g, vdi__elem(n, n->grad, at), width * vdi__real_size(n->dtype));
                } else {
                    k->binary[VDI_MUL](width, g, 1, vdi__elem(a, a->value, at + s.inner), 1, g);
                    k->axpby(width, 1, vdi__elem(n, n->grad, at), 1, g);
                }
                if (gb) k->axpby(width, 1, g, 1, vdi__elem(b, gb, at));
                if (ga && i) {
                    k->muladd(width, g, 1, vdi__elem(n, n->value, at - s.inner), 1,
                              vdi__elem(a, ga, at));
                } else if (ga && c0) {
                    k->muladd(width, g, 1, vdi__elem(c0, c0->value, o * s.inner), 1,
                              vdi__elem(a, ga, at));
                }
            }
            if (gc && s.n) {
                k->muladd(width, g, 1, vdi__elem(a, a->value, base), 1,
                          vdi__elem(c0, gc, o * s.inner));
            }
        }
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_scan(vdi_tape *t, vdi_var av, vdi_var bv, vdi_var cv, int axis) {
    static const char where[] = "vdi_var_scan";
    vdi__node *b = vdi__arg(t, bv, where), *a = vdi__arg(t, av, where), *c0 = NULL;
    if (!a || !b || !vdi__same_dtype(t, where, a, b) || (axis = vdi__axis(t, where, b, axis)) < 0)
        return vdi_var_none();
    if (!vdi__same_shape(a, b)) {
        if (!vdi_tensor_ok(
                vdi_tensor_broadcast_to(vdi__node_tensor(t, a, NULL), b->ndim, b->shape)))
            return vdi__shapes_differ(t, where, a, b, "the factor does not broadcast");
        a = vdi__arg(t, vdi_var_broadcast_to(t, av, b->ndim, b->shape), where);
        if (!a) return vdi_var_none();
    }
    vdi__split s = vdi__split_at(b, axis);
    if (vdi_var_ok(cv)) {
        c0 = vdi__arg(t, cv, where);
        if (!c0 || !vdi__same_dtype(t, where, b, c0)) return vdi_var_none();
        if (c0->count != s.outer * s.inner) {
            return vdi__shapes_differ(t, where, b, c0,
                                      "the start has to have the shape without the axis");
        }
    }
    vdi__node *n = vdi__node_like(t, where, b, true);
    vdi__split *keep = n ? (vdi__split *)vdi__tape_payload(t, where, sizeof *keep) : NULL;
    if (!keep) return vdi_var_none();
    *keep = s;
    n->in[0] = a;
    n->in[1] = b;
    n->in[2] = c0;
    n->extra = keep;
    const vdi__kernels *k = t->k[n->dtype];
    for (int64_t o = 0; o < s.outer && !t->measure; o++) {
        int64_t base = o * s.n * s.inner;
        if (s.inner == 1) {
            VDI__BOTH(n->dtype, {
                const real *as = (const real *)a->value + base, *bs = (const real *)b->value + base;
                real *c = (real *)n->value + base, run = c0 ? ((const real *)c0->value)[o] : 0;
                for (int64_t i = 0; i < s.n; i++)
                    c[i] = run = as[i] * run + bs[i];
            });
        } else {
            for (int64_t i = 0; i < s.n; i++) {
                int64_t at = base + i * s.inner;
                memcpy(vdi__elem(n, n->value, at), vdi__elem(b, b->value, at),
                       (size_t)s.inner * vdi__real_size(n->dtype));
                if (i) {
                    k->muladd((size_t)s.inner, vdi__elem(a, a->value, at), 1,
                              vdi__elem(n, n->value, at - s.inner), 1, vdi__elem(n, n->value, at));
                } else if (c0) {
                    k->muladd((size_t)s.inner, vdi__elem(a, a->value, at), 1,
                              vdi__elem(c0, c0->value, o * s.inner), 1, vdi__elem(n, n->value, at));
                }
            }
        }
    }
    return vdi__node_link(t, n, (unsigned)(a->flags | b->flags | (c0 ? c0->flags : 0)),
                          vdi__scan_back);
}
#endif
