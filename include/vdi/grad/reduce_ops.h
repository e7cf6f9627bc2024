/* grad/reduce_ops.h - sums, means, extremes, log sum exp, inner products and softmax
 *
 * Do this:
 *     vdi_var loss = vdi_var_mean(t, vdi_var_square(t, vdi_var_sub(t, prediction, target)));
 *     vdi_var top = vdi_var_max_axis(t, x, -1, false);                     the last axis disappears
 *
 * `axis` may be negative, counted from the end. The gradient of an extreme goes to the first
 * element that reaches it.
 */
#ifndef VDI_GRAD_REDUCE_OPS_H
#define VDI_GRAD_REDUCE_OPS_H
#include "ops.h"

/** Sum and mean of all elements: a scalar. The mean of nothing is NaN. */
VDI_API vdi_var vdi_var_sum(vdi_tape *t, vdi_var x);
VDI_API vdi_var vdi_var_mean(vdi_tape *t, vdi_var x);
/** Over one axis; with `keep` the axis stays with extent 1. */
VDI_API vdi_var vdi_var_sum_axis(vdi_tape *t, vdi_var x, int axis, bool keep);
VDI_API vdi_var vdi_var_mean_axis(vdi_tape *t, vdi_var x, int axis, bool keep);
VDI_API vdi_var vdi_var_max_axis(vdi_tape *t, vdi_var x, int axis, bool keep);
VDI_API vdi_var vdi_var_min_axis(vdi_tape *t, vdi_var x, int axis, bool keep);
/** log sum exp over one axis, stable; -inf elements count as absent. */
VDI_API vdi_var vdi_var_logsumexp(vdi_tape *t, vdi_var x, int axis, bool keep);
/** Inner product over the last axis: sum_i a_i b_i, shapes equal. */
VDI_API vdi_var vdi_var_dot(vdi_tape *t, vdi_var a, vdi_var b);
/** Over the last axis: exp(x - logsumexp x), and its logarithm. */
VDI_API vdi_var vdi_var_softmax(vdi_tape *t, vdi_var x);
VDI_API vdi_var vdi_var_log_softmax(vdi_tape *t, vdi_var x);

#endif /* VDI_GRAD_REDUCE_OPS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_REDUCE_OPS_C)
#define VDI_GRAD_REDUCE_OPS_C

VDI__FN void vdi__sum_back(vdi_tape *t, vdi__node *n) {
    vdi__node *x = n->in[0];
    const vdi__kernels *k = t->k[n->dtype];
    bool add;
    void *g = vdi__grad_open(t, x, &add);
    if (!g || t->measure) return;
    double d = vdi__load(n->dtype, n->grad, 0) * n->p;
    if (!add) {
        k->fill((size_t)x->count, d, g);
    } else {
        vdi__one one;
        vdi__store(n->dtype, &one, 0, d);
        k->binary[VDI_ADD]((size_t)x->count, g, 1, &one, 0, g);
    }
}

VDI__FN vdi_var vdi__sum(vdi_tape *t, const char *where, vdi_var xv, bool mean) {
    vdi__node *x = vdi__arg(t, xv, where);
    vdi__node *n = x ? vdi__node_shaped(t, where, (vdi_dtype)x->dtype, 0, NULL, true) : NULL;
    if (!n) return vdi_var_none();
    n->in[0] = x;
    n->p = mean ? 1 / (double)x->count : 1;
    if (!t->measure) {
        double s = t->k[x->dtype]->sum((size_t)x->count, x->value);
        vdi__store(n->dtype, n->value, 0, mean ? s / (double)x->count : s);
    }
    return vdi__node_link(t, n, x->flags, vdi__sum_back);
}

VDI__DEF vdi_var vdi_var_sum(vdi_tape *t, vdi_var x) {
    return vdi__sum(t, "vdi_var_sum", x, false);
}
VDI__DEF vdi_var vdi_var_mean(vdi_tape *t, vdi_var x) {
    return vdi__sum(t, "vdi_var_mean", x, true);
}

/* A node with one axis of x taken away, or of extent 1. */
VDI__FN vdi__node *vdi__reduced(vdi_tape *t, const char *where, vdi__node *x, int axis, bool keep) {
    int64_t shape[VDI_MAX_DIMS];
    int ndim = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (i != axis)
            shape[ndim++] = x->shape[i];
        else if (keep)
            shape[ndim++] = 1;
    }
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)x->dtype, ndim, shape, true);
    if (n) n->in[0] = x;
    return n;
}

typedef struct vdi__reduce_node {
    vdi__split s;
    int64_t *at; /* where the extreme element of each result stands */
} vdi__reduce_node;

/* The same node, *n, with what its backward pass has to know; NULL: the tape has failed. */
VDI__FN vdi__reduce_node *vdi__reduce_begin(vdi_tape *t, const char *where, vdi__node *x, int axis,
                                            bool keep, vdi__node **n) {
    vdi__reduce_node *r = NULL;
    *n = vdi__reduced(t, where, x, axis, keep);
    if (*n) r = (vdi__reduce_node *)vdi__tape_payload(t, where, sizeof *r);
    if (!r) return NULL;
    r->s = vdi__split_at(x, axis);
    (*n)->extra = r;
    return r;
}

VDI__FN void vdi__sum_axis_back(vdi_tape *t, vdi__node *n) {
    const vdi__split s = ((vdi__reduce_node *)n->extra)->s;
    const vdi__kernels *k = t->k[n->dtype];
    vdi__node *x = n->in[0];
    bool add;
    void *g = vdi__grad_open(t, x, &add);
    if (!g || t->measure) return;
    for (int64_t o = 0; o < s.outer; o++) {
        if (s.inner == 1) {
            vdi__one d;
            void *to = vdi__elem(x, g, o * s.n);
            vdi__store(n->dtype, &d, 0, n->p * vdi__load(n->dtype, vdi__elem(n, n->grad, o), 0));
            if (add)
                k->binary[VDI_ADD]((size_t)s.n, to, 1, &d, 0, to);
            else
                k->fill((size_t)s.n, vdi__load(n->dtype, &d, 0), to);
        } else {
            for (int64_t i = 0; i < s.n; i++) {
                k->axpby((size_t)s.inner, n->p, vdi__elem(n, n->grad, o * s.inner), add ? 1 : 0,
                         vdi__elem(x, g, (o * s.n + i) * s.inner));
            }
        }
    }
}

VDI__FN vdi_var vdi__sum_axis(vdi_tape *t, const char *where, vdi_var xv, int axis, bool keep,
                              bool mean) {
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x || (axis = vdi__axis(t, where, x, axis)) < 0) return vdi_var_none();
    vdi__node *n;
    vdi__reduce_node *r = vdi__reduce_begin(t, where, x, axis, keep, &n);
    if (!r) return vdi_var_none();
    const vdi__split s = r->s;
    n->p = mean ? 1 / (double)s.n : 1;
    if (!t->measure) {
        const vdi__kernels *k = t->k[x->dtype];
        for (int64_t o = 0; o < s.outer; o++) {
            if (s.inner == 1) {
                vdi__store(n->dtype, vdi__elem(n, n->value, o), 0,
                           k->sum((size_t)s.n, vdi__elem(x, x->value, o * s.n)));
            } else {
                k->sum_rows((size_t)s.n, (size_t)s.inner, vdi__elem(x, x->value, o * s.n * s.inner),
                            (size_t)s.inner, 0, vdi__elem(n, n->value, o * s.inner));
            }
        }
        if (mean) k->axpby((size_t)n->count, n->p, n->value, 0, n->value);
    }
    return vdi__node_link(t, n, x->flags, vdi__sum_axis_back);
}

VDI__DEF vdi_var vdi_var_sum_axis(vdi_tape *t, vdi_var x, int axis, bool keep) {
    return vdi__sum_axis(t, "vdi_var_sum_axis", x, axis, keep, false);
}
VDI__DEF vdi_var vdi_var_mean_axis(vdi_tape *t, vdi_var x, int axis, bool keep) {
    return vdi__sum_axis(t, "vdi_var_mean_axis", x, axis, keep, true);
}

VDI__FN void vdi__extreme_back(vdi_tape *t, vdi__node *n) {
    const vdi__reduce_node *r = (const vdi__reduce_node *)n->extra;
    void *g = vdi__grad_zeroed(t, n->in[0]);
    if (!g || t->measure) return;
    for (int64_t i = 0; i < n->count; i++) {
        void *to = vdi__elem(n, g, r->at[i]);
        vdi__store(n->dtype, to, 0,
                   vdi__load(n->dtype, to, 0) + vdi__load(n->dtype, vdi__elem(n, n->grad, i), 0));
    }
}

VDI__FN vdi_var vdi__extreme(vdi_tape *t, const char *where, vdi_var xv, int axis, bool keep,
                             double sign) {
    char text[VDI_SHAPE_TEXT];
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x || (axis = vdi__axis(t, where, x, axis)) < 0) return vdi_var_none();
    if (x->shape[axis] == 0) {
        return vdi_tape_fail(t, VDI_ERR_SHAPE, where, "%s: axis %d of shape %s is empty", where,
                             axis, vdi__node_text(x, text));
    }
    vdi__node *n;
    vdi__reduce_node *r = vdi__reduce_begin(t, where, x, axis, keep, &n);
    if (!r) return vdi_var_none();
    const vdi__split s = r->s;
    r->at = (int64_t *)vdi__tape_data(t, where, (size_t)n->count * sizeof *r->at);
    if (!r->at) return vdi_var_none();
    if (!t->measure) {
        for (int64_t i = 0; i < n->count; i++) {
            int64_t from = (i / s.inner) * s.n * s.inner + i % s.inner, best = from;
            double top = sign * vdi__load(x->dtype, vdi__elem(x, x->value, from), 0);
            for (int64_t j = 1; j < s.n; j++) {
                double v =
                    sign * vdi__load(x->dtype, vdi__elem(x, x->value, from + j * s.inner), 0);
                if (v > top || (v != v && top == top)) {
                    top = v;
                    best = from + j * s.inner;
                }
            }
            vdi__store(n->dtype, vdi__elem(n, n->value, i), 0, sign * top);
            r->at[i] = best;
        }
    }
    return vdi__node_link(t, n, x->flags, vdi__extreme_back);
}

VDI__DEF vdi_var vdi_var_max_axis(vdi_tape *t, vdi_var x, int axis, bool keep) {
    return vdi__extreme(t, "vdi_var_max_axis", x, axis, keep, 1);
}
VDI__DEF vdi_var vdi_var_min_axis(vdi_tape *t, vdi_var x, int axis, bool keep) {
    return vdi__extreme(t, "vdi_var_min_axis", x, axis, keep, -1);
}

/* dx += dy exp(x - y): rows of the reduced axis where it is the last, else rows of what lies behind
 * it. */
VDI__FN void vdi__logsumexp_back(vdi_tape *t, vdi__node *n) {
    const vdi__split s = ((vdi__reduce_node *)n->extra)->s;
    const vdi__kernels *k = t->k[n->dtype];
    vdi__node *x = n->in[0];
    bool last = s.inner == 1;
    int64_t rows = last ? s.outer : s.outer * s.n, cols = last ? s.n : s.inner;
    void *g = vdi__grad_zeroed(t, x);
    if (!g) return;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *e = vdi__tape_data(t, "vdi_var_logsumexp", (size_t)cols * vdi__real_size(n->dtype));
    if (e && !t->measure) {
        for (int64_t i = 0; i < rows; i++) {
            int64_t at = last ? i : i / s.n * s.inner;
            if (last && vdi__load(n->dtype, vdi__elem(n, n->value, at), 0) == -INFINITY) continue;
            k->binary[VDI_SUB]((size_t)cols, vdi__elem(x, x->value, i * cols), 1,
                               vdi__elem(n, n->value, at), !last, e);
            k->unary[VDI_EXP]((size_t)cols, 0, e, e);
            if (!last) {
                VDI__BOTH(n->dtype, {
                    const real *y = (const real *)n->value + at;
                    for (int64_t j = 0; j < cols; j++) {
                        if (y[j] == -INFINITY)
                            ((real *)e)[j] = 0; /* there is nothing to share the
                                                   gradient out to */
                    }
                });
            }
            k->muladd((size_t)cols, e, 1, vdi__elem(n, n->grad, at), !last,
                      vdi__elem(x, g, i * cols));
        }
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_logsumexp(vdi_tape *t, vdi_var xv, int axis, bool keep) {
    static const char where[] = "vdi_var_logsumexp";
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x || (axis = vdi__axis(t, where, x, axis)) < 0) return vdi_var_none();
    vdi__node *n;
    vdi__reduce_node *r = vdi__reduce_begin(t, where, x, axis, keep, &n);
    if (!r) return vdi_var_none();
    const vdi__split s = r->s;
    const vdi__kernels *k = t->k[x->dtype];
    if (s.inner == 1) {
        if (!t->measure) {
            k->softmax(VDI__LOGSUMEXP, (size_t)s.outer, (size_t)s.n, x->value, (size_t)s.n,
                       n->value, 1);
        }
    } else {
        size_t width = (size_t)s.inner;
        vdi__tape_mark m = vdi__scratch_begin(t);
        char *work = (char *)vdi__tape_data(t, where, 2 * width * vdi__real_size(x->dtype));
        char *e = work + width * vdi__real_size(x->dtype);
        if (!work) return vdi_var_none();
        for (int64_t o = 0; o < s.outer && !t->measure; o++) {
            void *y = vdi__elem(n, n->value, o * s.inner);
            k->fill(width, -INFINITY, work);
            for (int64_t j = 0; j < s.n; j++) {
                k->binary[VDI_MAX](width, work, 1, vdi__elem(x, x->value, (o * s.n + j) * s.inner),
                                   1, work);
            }
            VDI__BOTH(x->dtype, {
                for (size_t i = 0; i < width; i++) {
                    if (((real *)work)[i] == -INFINITY)
                        ((real *)work)[i] = 0; /* -inf - -inf would
                                                  be NaN */
                }
            });
            k->fill(width, 0, y);
            for (int64_t j = 0; j < s.n; j++) {
                k->binary[VDI_SUB](width, vdi__elem(x, x->value, (o * s.n + j) * s.inner), 1, work,
                                   1, e);
                k->unary[VDI_EXP](width, 0, e, e);
                k->binary[VDI_ADD](width, y, 1, e, 1, y);
            }
            k->unary[VDI_LOG](width, 0, y, y);
            k->binary[VDI_ADD](width, y, 1, work, 1, y);
        }
        vdi__scratch_end(t, m);
    }
    return vdi__node_link(t, n, x->flags, vdi__logsumexp_back);
}

VDI__FN void vdi__dot_back(vdi_tape *t, vdi__node *n) {
    int64_t cols = n->in[0]->shape[n->in[0]->ndim - 1];
    for (int side = 0; side < 2; side++) {
        vdi__node *x = n->in[side], *other = n->in[1 - side];
        void *g = vdi__wants(x) ? vdi__grad_zeroed(t, x) : NULL;
        if (!g || t->measure) continue;
        for (int64_t r = 0; r < n->count; r++) {
            t->k[n->dtype]->muladd((size_t)cols, vdi__elem(x, other->value, r * cols), 1,
                                   vdi__elem(n, n->grad, r), 0, vdi__elem(x, g, r * cols));
        }
    }
}

VDI__DEF vdi_var vdi_var_dot(vdi_tape *t, vdi_var av, vdi_var bv) {
    static const char where[] = "vdi_var_dot";
    vdi__node *a = vdi__arg(t, av, where), *b = vdi__arg(t, bv, where);
    if (!a || !b || !vdi__same_dtype(t, where, a, b)) return vdi_var_none();
    if (!vdi__same_shape(a, b) || a->ndim < 1)
        return vdi__shapes_differ(t, where, a, b, "expected one shape of at least one axis");
    vdi__node *n = vdi__reduced(t, where, a, a->ndim - 1, false);
    if (!n) return vdi_var_none();
    n->in[1] = b;
    int64_t cols = a->shape[a->ndim - 1];
    if (!t->measure) {
        for (int64_t r = 0; r < n->count; r++) {
            vdi__store(n->dtype, vdi__elem(n, n->value, r), 0,
                       t->k[n->dtype]->dot((size_t)cols, vdi__elem(a, a->value, r * cols),
                                           vdi__elem(b, b->value, r * cols)));
        }
    }
    return vdi__node_link(t, n, (unsigned)(a->flags | b->flags), vdi__dot_back);
}

/* softmax: dx += y (dy - <dy,y>);  log_softmax: dx += dy - exp(y) sum dy */
VDI__FN void vdi__softmax_back(vdi_tape *t, vdi__node *n) {
    const vdi__kernels *k = t->k[n->dtype];
    vdi__node *x = n->in[0];
    int64_t cols = x->shape[x->ndim - 1], rows = cols ? x->count / cols : 0;
    void *g = vdi__grad_zeroed(t, x);
    if (!g) return;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *e = vdi__tape_data(t, "vdi_var_softmax", (size_t)cols * vdi__real_size(n->dtype));
    if (e && !t->measure) {
        for (int64_t r = 0; r < rows; r++) {
            void *y = vdi__elem(n, n->value, r * cols);
            void *dy = vdi__elem(n, n->grad, r * cols);
            void *dx = vdi__elem(n, g, r * cols);
            vdi__one s;
            if (n->op == 0) {
                vdi__store(n->dtype, &s, 0, k->dot((size_t)cols, dy, y));
                k->binary[VDI_SUB]((size_t)cols, dy, 1, &s, 0, e);
                k->muladd((size_t)cols, e, 1, y, 1, dx);
            } else {
                vdi__store(n->dtype, &s, 0, -k->sum((size_t)cols, dy));
                k->unary[VDI_EXP]((size_t)cols, 0, y, e);
                k->axpby((size_t)cols, 1, dy, 1, dx);
                k->muladd((size_t)cols, e, 1, &s, 0, dx);
            }
        }
    }
    vdi__scratch_end(t, m);
}

VDI__FN vdi_var vdi__softmax(vdi_tape *t, const char *where, vdi_var xv, int logarithm) {
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    if (x->ndim < 1) {
        return vdi_tape_fail(t, VDI_ERR_SHAPE, where,
                             "the argument is a scalar, expected at least one axis");
    }
    vdi__node *n = vdi__node_like(t, where, x, true);
    if (!n) return vdi_var_none();
    int64_t cols = x->shape[x->ndim - 1], rows = cols ? x->count / cols : 0;
    n->in[0] = x;
    n->op = (uint8_t)logarithm;
    if (!t->measure) {
        t->k[n->dtype]->softmax(logarithm ? VDI__LOG_SOFTMAX : VDI__SOFTMAX, (size_t)rows,
                                (size_t)cols, x->value, (size_t)cols, n->value, (size_t)cols);
    }
    return vdi__node_link(t, n, x->flags, vdi__softmax_back);
}

VDI__DEF vdi_var vdi_var_softmax(vdi_tape *t, vdi_var x) {
    return vdi__softmax(t, "vdi_var_softmax", x, 0);
}
VDI__DEF vdi_var vdi_var_log_softmax(vdi_tape *t, vdi_var x) {
    return vdi__softmax(t, "vdi_var_log_softmax", x, 1);
}
#endif
