/* grad/broadcast.h - arguments of different shapes, row by row
 *
 * Do this:
 *     int64_t shape[2] = {3, 4};
 *     vdi_var b4 = vdi_var_broadcast_to(t, b, 2, shape);             (4,) or (3,1) or () to (3,4)
 *
 * NumPy's rules: shapes are aligned at their ends, and an extent of 1 is repeated. The gradient of
 * what was repeated is the sum over the repetitions. Operations of two arguments (grad/ops.h) and
 * products of batches (grad/matrix_ops.h) broadcast by the same plan, and do not copy.
 */
#ifndef VDI_GRAD_BROADCAST_H
#define VDI_GRAD_BROADCAST_H
#include "tape.h"

/** Repeated to a larger shape, by NumPy's rules. */
VDI_API vdi_var vdi_var_broadcast_to(vdi_tape *t, vdi_var x, int ndim, const int64_t *shape);

#endif /* VDI_GRAD_BROADCAST_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_BROADCAST_C)
#define VDI_GRAD_BROADCAST_C

/* Plain code in both real types: for what no kernel does and no time is spent on. */
#define VDI__BOTH(dtype_, ...)     \
    do {                           \
        if ((dtype_) == VDI_F32) { \
            typedef float real;    \
            __VA_ARGS__            \
        } else {                   \
            typedef double real;   \
            __VA_ARGS__            \
        }                          \
    } while (0)

/* One element of either type, for kernels that take a step of 0. */
typedef union vdi__one {
    float f;
    double d;
} vdi__one;

/* ======== rows of a broadcast ================================================================= */
/* A broadcast is a list of rows: in each, both arguments step by 0 or 1. Two tensors of one shape
 * are one row. */

typedef struct vdi__bcast {
    int ndim; /* after axes that step alike have been joined; the last one is the row */
    int a_step, b_step;
    int64_t inner, rows;
    int64_t shape[VDI_MAX_DIMS], sa[VDI_MAX_DIMS], sb[VDI_MAX_DIMS];
} vdi__bcast;

typedef struct vdi__bcast_at {
    int64_t i[VDI_MAX_DIMS], a, b, y;
} vdi__bcast_at;

VDI__FN void vdi__bcast_make(vdi__bcast *p, int ndim, const int64_t *shape, const vdi__node *a,
                             const vdi__node *b) {
    int64_t step_a = 1, step_b = 1;
    int k = VDI_MAX_DIMS; /* filled from the back */
    memset(p, 0, sizeof *p);
    for (int i = ndim - 1; i >= 0; i--) {
        int ia = i - (ndim - a->ndim), ib = i - (ndim - b->ndim);
        int64_t ea = ia < 0 ? 1 : a->shape[ia];
        int64_t eb = ib < 0 ? 1 : b->shape[ib];
        int64_t sa = ea == 1 ? 0 : step_a;
        int64_t sb = eb == 1 ? 0 : step_b;
        step_a *= ea;
        step_b *= eb;
        if (shape[i] == 1) continue;
        if (k < VDI_MAX_DIMS && sa == p->sa[k] * p->shape[k] && sb == p->sb[k] * p->shape[k]) {
            p->shape[k] *= shape[i];
        } else {
            k--;
            p->shape[k] = shape[i];
            p->sa[k] = sa;
            p->sb[k] = sb;
        }
    }
    p->ndim = VDI_MAX_DIMS - k;
    for (int i = 0; i < p->ndim; i++) {
        p->shape[i] = p->shape[k + i];
        p->sa[i] = p->sa[k + i];
        p->sb[i] = p->sb[k + i];
    }
    p->inner = p->rows = 1;
    if (p->ndim == 0) {
        p->ndim = 1;
        p->shape[0] = 1;
        return;
    }
    p->inner = p->shape[p->ndim - 1];
    p->a_step = (int)p->sa[p->ndim - 1];
    p->b_step = (int)p->sb[p->ndim - 1];
    for (int i = 0; i + 1 < p->ndim; i++)
        p->rows *= p->shape[i];
    if (p->inner == 0) p->rows = 0;
}

VDI__INLINE void vdi__bcast_next(const vdi__bcast *p, vdi__bcast_at *r) {
    r->y += p->inner;
    for (int k = p->ndim - 2; k >= 0; k--) {
        r->a += p->sa[k];
        r->b += p->sb[k];
        if (++r->i[k] < p->shape[k]) return;
        r->a -= p->sa[k] * p->shape[k];
        r->b -= p->sb[k] * p->shape[k];
        r->i[k] = 0;
    }
}

/* ======== repeat ============================================================================== */

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
#endif
