/* grad/shape_ops.h - operations that move data: reshape, permute, slice, concatenate
 *
 * Do this:
 *     vdi_var z = vdi_var_slice(t, x, 1, 0, 1, T - 1);              x[:, 0:T-1]
 *     vdi_var y = vdi_var_concat(t, parts, 3, -1);                  along the last axis
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
    shape[axis] = 1;
    for (int i = 0; i < x->ndim; i++)
        shape[i < axis ? i : i + 1] = x->shape[i];
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
#endif
