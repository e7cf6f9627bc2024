/* grad/ops.h - operations element by element
 *
 * Do this:
 *     vdi_var rate = vdi_var_softplus(t, vdi_var_add(t, vdi_var_mul(t, x, w), b));
 *     vdi_var err2 = vdi_var_square(t, vdi_var_sub(t, prediction, target));
 *
 * Operations of two arguments broadcast as NumPy does (grad/broadcast.h). Both arguments have one
 * dtype; vdi_var_cast changes it.
 *
 * Where a function has a kink, the gradient is one of its one-sided ones, and it is fixed: relu,
 * leaky_relu, elu and abs take the derivative from the left at 0; maximum and minimum give
 * everything to the first argument on a tie; clip lets the gradient pass on the closed interval;
 * where gives nothing to the mask.
 */
#ifndef VDI_GRAD_OPS_H
#define VDI_GRAD_OPS_H
#include "broadcast.h"

/** y = op(x); `p` is the parameter of those that have one (see vdi_unary_op). */
VDI_API vdi_var vdi_var_unary(vdi_tape *t, vdi_unary_op op, double p, vdi_var x);
VDI__INLINE vdi_var vdi_var_exp(vdi_tape *t, vdi_var x) { return vdi_var_unary(t, VDI_EXP, 0, x); }
VDI__INLINE vdi_var vdi_var_log(vdi_tape *t, vdi_var x) { return vdi_var_unary(t, VDI_LOG, 0, x); }
VDI__INLINE vdi_var vdi_var_log1p(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_LOG1P, 0, x);
}
VDI__INLINE vdi_var vdi_var_expm1(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_EXPM1, 0, x);
}
VDI__INLINE vdi_var vdi_var_tanh(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_TANH, 0, x);
}
VDI__INLINE vdi_var vdi_var_sigmoid(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_SIGMOID, 0, x);
}
VDI__INLINE vdi_var vdi_var_softplus(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_SOFTPLUS, 0, x);
}
VDI__INLINE vdi_var vdi_var_relu(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_RELU, 0, x);
}
/** x > 0 ? x : slope x. */
VDI__INLINE vdi_var vdi_var_leaky_relu(vdi_tape *t, vdi_var x, double slope) {
    return vdi_var_unary(t, VDI_LEAKY_RELU, slope, x);
}
/** x > 0 ? x : alpha (exp(x) - 1). */
VDI__INLINE vdi_var vdi_var_elu(vdi_tape *t, vdi_var x, double alpha) {
    return vdi_var_unary(t, VDI_ELU, alpha, x);
}
VDI__INLINE vdi_var vdi_var_sqrt(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_SQRT, 0, x);
}
VDI__INLINE vdi_var vdi_var_rsqrt(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_RSQRT, 0, x);
}
VDI__INLINE vdi_var vdi_var_reciprocal(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_RECIPROCAL, 0, x);
}
VDI__INLINE vdi_var vdi_var_erf(vdi_tape *t, vdi_var x) { return vdi_var_unary(t, VDI_ERF, 0, x); }
VDI__INLINE vdi_var vdi_var_lgamma(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_LGAMMA, 0, x);
}
VDI__INLINE vdi_var vdi_var_digamma(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_DIGAMMA, 0, x);
}
VDI__INLINE vdi_var vdi_var_abs(vdi_tape *t, vdi_var x) { return vdi_var_unary(t, VDI_ABS, 0, x); }
VDI__INLINE vdi_var vdi_var_neg(vdi_tape *t, vdi_var x) { return vdi_var_unary(t, VDI_NEG, 0, x); }
VDI__INLINE vdi_var vdi_var_square(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_SQUARE, 0, x);
}
VDI__INLINE vdi_var vdi_var_sin(vdi_tape *t, vdi_var x) { return vdi_var_unary(t, VDI_SIN, 0, x); }
VDI__INLINE vdi_var vdi_var_cos(vdi_tape *t, vdi_var x) { return vdi_var_unary(t, VDI_COS, 0, x); }
/** x Phi(x): a smooth relu (Hendrycks and Gimpel 2016, arXiv 1606.08415). */
VDI__INLINE vdi_var vdi_var_gelu(vdi_tape *t, vdi_var x) {
    return vdi_var_unary(t, VDI_GELU, 0, x);
}

/** y = op(a, b), broadcasting. */
VDI_API vdi_var vdi_var_binary(vdi_tape *t, vdi_binary_op op, vdi_var a, vdi_var b);
VDI__INLINE vdi_var vdi_var_add(vdi_tape *t, vdi_var a, vdi_var b) {
    return vdi_var_binary(t, VDI_ADD, a, b);
}
VDI__INLINE vdi_var vdi_var_sub(vdi_tape *t, vdi_var a, vdi_var b) {
    return vdi_var_binary(t, VDI_SUB, a, b);
}
VDI__INLINE vdi_var vdi_var_mul(vdi_tape *t, vdi_var a, vdi_var b) {
    return vdi_var_binary(t, VDI_MUL, a, b);
}
VDI__INLINE vdi_var vdi_var_div(vdi_tape *t, vdi_var a, vdi_var b) {
    return vdi_var_binary(t, VDI_DIV, a, b);
}
VDI__INLINE vdi_var vdi_var_maximum(vdi_tape *t, vdi_var a, vdi_var b) {
    return vdi_var_binary(t, VDI_MAX, a, b);
}
/** The twin minimum, element by element: the gradient goes to the smaller. */
VDI__INLINE vdi_var vdi_var_minimum(vdi_tape *t, vdi_var a, vdi_var b) {
    return vdi_var_binary(t, VDI_MIN, a, b);
}
/** a^b; the gradient of b is 0 where a is 0. */
VDI__INLINE vdi_var vdi_var_pow(vdi_tape *t, vdi_var a, vdi_var b) {
    return vdi_var_binary(t, VDI_POW, a, b);
}
/** x^p for a number p. */
VDI_API vdi_var vdi_var_pow_scalar(vdi_tape *t, vdi_var x, double p);
/** scale x + shift for two numbers, fused. */
VDI_API vdi_var vdi_var_scale_shift(vdi_tape *t, vdi_var x, double scale, double shift);
VDI__INLINE vdi_var vdi_var_mul_scalar(vdi_tape *t, vdi_var x, double scale) {
    return vdi_var_scale_shift(t, x, scale, 0);
}
VDI__INLINE vdi_var vdi_var_add_scalar(vdi_tape *t, vdi_var x, double shift) {
    return vdi_var_scale_shift(t, x, 1, shift);
}
/** x held between low and high. */
VDI_API vdi_var vdi_var_clip(vdi_tape *t, vdi_var x, double low, double high);
/** mask != 0 ? a : b; the three broadcast together. Unlike a product with a mask it keeps the NaN
 * of the other side out. */
VDI_API vdi_var vdi_var_where(vdi_tape *t, vdi_var mask, vdi_var a, vdi_var b);
/** The value of x as a constant. */
VDI_API vdi_var vdi_var_stop_gradient(vdi_tape *t, vdi_var x);
/** The value of `value`, with the gradient handed to `through` (same shape): a straight-through
 * estimator. */
VDI_API vdi_var vdi_var_straight_through(vdi_tape *t, vdi_var value, vdi_var through);
/** x itself, with every element of its gradient held to [-limit, limit]. */
VDI_API vdi_var vdi_var_clip_gradient(vdi_tape *t, vdi_var x, double limit);
/** The value in another real dtype; the gradient is cast back. */
VDI_API vdi_var vdi_var_cast(vdi_tape *t, vdi_var x, vdi_dtype dtype);

#endif /* VDI_GRAD_OPS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_OPS_C)
#define VDI_GRAD_OPS_C

/* ======== one argument ======================================================================== */

VDI__FN void vdi__unary_back(vdi_tape *t, vdi__node *n) {
    vdi__node *x = n->in[0];
    bool add = true;
    void *g;
    if (n->op == VDI_EXP || n->op == VDI_NEG) { /* as cheap to write as to add */
        g = vdi__grad_open(t, x, &add);
        if (!g || t->measure) return;
        if (!add) {
            if (n->op == VDI_EXP)
                t->k[n->dtype]->binary[VDI_MUL]((size_t)n->count, n->grad, 1, n->value, 1, g);
            else
                t->k[n->dtype]->axpby((size_t)n->count, -1, n->grad, 0, g);
            return;
        }
    } else {
        g = vdi__grad_zeroed(t, x);
        if (!g || t->measure) return;
    }
    t->k[n->dtype]->unary_grad[n->op]((size_t)n->count, n->p, x->value, n->value, n->grad, g);
}

VDI__DEF vdi_var vdi_var_unary(vdi_tape *t, vdi_unary_op op, double p, vdi_var xv) {
    vdi__node *x = vdi__arg(t, xv, "vdi_var_unary");
    if (!x) return vdi_var_none();
    if ((unsigned)op >= VDI_UNARY_COUNT) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, "vdi_var_unary", "there is no operation %d",
                             (int)op);
    }
    vdi__node *n = vdi__node_like(t, "vdi_var_unary", x, true);
    if (!n) return vdi_var_none();
    n->in[0] = x;
    n->op = (uint8_t)op;
    n->p = p;
    if (VDI__LIKELY(!t->measure))
        t->k[x->dtype]->unary[op]((size_t)n->count, p, x->value, n->value);
    return vdi__node_link(t, n, x->flags, vdi__unary_back);
}

VDI__FN void vdi__scale_back(vdi_tape *t, vdi__node *n) {
    vdi__grad_add(t, n->in[0], n->p, n->grad);
}

VDI__DEF vdi_var vdi_var_scale_shift(vdi_tape *t, vdi_var xv, double scale, double shift) {
    vdi__node *x = vdi__arg(t, xv, "vdi_var_scale_shift");
    vdi__node *n = x ? vdi__node_like(t, "vdi_var_scale_shift", x, true) : NULL;
    if (!n) return vdi_var_none();
    n->in[0] = x;
    n->p = scale;
    if (!t->measure) {
        const vdi__kernels *k = t->k[x->dtype];
        if (shift == 0) {
            k->axpby((size_t)n->count, scale, x->value, 0, n->value);
        } else {
            k->fill((size_t)n->count, shift, n->value);
            k->axpby((size_t)n->count, scale, x->value, 1, n->value);
        }
    }
    return vdi__node_link(t, n, x->flags, vdi__scale_back);
}

VDI__FN void vdi__clip_back(vdi_tape *t, vdi__node *n) {
    vdi__node *x = n->in[0];
    const double *bound = (const double *)n->extra;
    void *g = vdi__grad_zeroed(t, x);
    if (!g || t->measure) return;
    VDI__BOTH(n->dtype, {
        const real *dy = (const real *)n->grad, *xs = (const real *)x->value;
        real *dx = (real *)g, low = (real)bound[0], high = (real)bound[1];
        for (int64_t i = 0; i < n->count; i++)
            if (xs[i] >= low && xs[i] <= high) dx[i] += dy[i];
    });
}

VDI__DEF vdi_var vdi_var_clip(vdi_tape *t, vdi_var xv, double low, double high) {
    static const char where[] = "vdi_var_clip";
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    if (!(low <= high))
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "low is %g, high is %g", low, high);
    vdi__node *n = vdi__node_like(t, where, x, true);
    double *bound = n ? (double *)vdi__tape_payload(t, where, 2 * sizeof *bound) : NULL;
    if (!bound) return vdi_var_none();
    bound[0] = low;
    bound[1] = high;
    n->in[0] = x;
    n->extra = bound;
    if (!t->measure) t->k[x->dtype]->clip((size_t)n->count, low, high, x->value, n->value);
    return vdi__node_link(t, n, x->flags, vdi__clip_back);
}

VDI__DEF vdi_var vdi_var_stop_gradient(vdi_tape *t, vdi_var xv) {
    vdi__node *x = vdi__arg(t, xv, "vdi_var_stop_gradient");
    vdi__node *n = x ? vdi__node_like(t, "vdi_var_stop_gradient", x, false) : NULL;
    if (!n) return vdi_var_none();
    n->value = x->value;
    return vdi__var_of(t, n);
}

VDI__FN void vdi__through_back(vdi_tape *t, vdi__node *n) {
    vdi__grad_add(t, n->in[0], 1, n->grad);
}

VDI__DEF vdi_var vdi_var_straight_through(vdi_tape *t, vdi_var vv, vdi_var xv) {
    static const char where[] = "vdi_var_straight_through";
    vdi__node *v = vdi__arg(t, vv, where), *x = vdi__arg(t, xv, where);
    if (!v || !x || !vdi__same_dtype(t, where, v, x)) return vdi_var_none();
    if (!vdi__same_shape(v, x)) return vdi__shapes_differ(t, where, v, x, "expected one shape");
    vdi__node *n = vdi__node_like(t, where, v, false);
    if (!n) return vdi_var_none();
    n->value = v->value;
    n->in[0] = x;
    return vdi__node_link(t, n, x->flags, vdi__through_back);
}

VDI__FN void vdi__clip_gradient_back(vdi_tape *t, vdi__node *n) {
    vdi__tape_mark m;
    bool add;
    void *g = vdi__grad_open(t, n->in[0], &add);
    if (!g) return;
    m = vdi__scratch_begin(t);
    void *s = add ? vdi__tape_data(t, "vdi_var_clip_gradient", vdi__node_bytes(n)) : g;
    if (s && !t->measure) {
        t->k[n->dtype]->clip((size_t)n->count, -n->p, n->p, n->grad, s);
        if (add) t->k[n->dtype]->axpby((size_t)n->count, 1, s, 1, g);
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_clip_gradient(vdi_tape *t, vdi_var xv, double limit) {
    static const char where[] = "vdi_var_clip_gradient";
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    if (!(limit > 0)) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "limit is %g, expected more than 0",
                             limit);
    }
    vdi__node *n = vdi__node_like(t, where, x, false);
    if (!n) return vdi_var_none();
    n->value = x->value;
    n->in[0] = x;
    n->p = limit;
    return vdi__node_link(t, n, x->flags, vdi__clip_gradient_back);
}

VDI__FN void vdi__convert(unsigned to, void *y, unsigned from, const void *x, int64_t n) {
    if (to == from) {
        memmove(y, x, (size_t)n * vdi__real_size(to));
    } else if (to == VDI_F32) {
        for (int64_t i = 0; i < n; i++)
            ((float *)y)[i] = (float)((const double *)x)[i];
    } else {
        for (int64_t i = 0; i < n; i++)
            ((double *)y)[i] = (double)((const float *)x)[i];
    }
}

VDI__FN void vdi__cast_back(vdi_tape *t, vdi__node *n) {
    vdi__node *x = n->in[0];
    bool add;
    void *g = vdi__grad_open(t, x, &add);
    if (!g) return;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *s = add ? vdi__tape_data(t, "vdi_var_cast", vdi__node_bytes(x)) : g;
    if (s && !t->measure) {
        vdi__convert(x->dtype, s, n->dtype, n->grad, n->count);
        if (add) t->k[x->dtype]->axpby((size_t)n->count, 1, s, 1, g);
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_cast(vdi_tape *t, vdi_var xv, vdi_dtype dtype) {
    static const char where[] = "vdi_var_cast";
    vdi__node *x = vdi__arg(t, xv, where);
    if (!x) return vdi_var_none();
    if (!vdi_dtype_is_real(dtype)) {
        return vdi_tape_fail(t, VDI_ERR_DTYPE, where, "%s is not a real dtype",
                             vdi_dtype_name(dtype));
    }
    if (x->dtype == (uint8_t)dtype) return xv;
    vdi__node *n = vdi__node_shaped(t, where, dtype, x->ndim, x->shape, true);
    if (!n) return vdi_var_none();
    n->in[0] = x;
    if (!t->measure) vdi__convert(n->dtype, n->value, x->dtype, x->value, x->count);
    return vdi__node_link(t, n, x->flags, vdi__cast_back);
}

/* ======== two arguments ======================================================================= */

static const char *const vdi__binary_where[VDI_BINARY_COUNT] = {
    "vdi_var_add",     "vdi_var_sub",     "vdi_var_mul", "vdi_var_div",
    "vdi_var_maximum", "vdi_var_minimum", "vdi_var_pow"};

/* One row of the full cotangent of argument `side`, into g. */
VDI__FN void vdi__binary_row(const vdi__kernels *k, unsigned dtype, int op, int side, int64_t count,
                             const void *a, int as, const void *b, int bs, const void *y,
                             const void *dy, void *g) {
    size_t n = (size_t)count;
    switch (op) {
    case VDI_ADD: k->axpby(n, 1, dy, 0, g); break;
    case VDI_SUB: k->axpby(n, side ? -1 : 1, dy, 0, g); break;
    case VDI_MUL: k->binary[VDI_MUL](n, dy, 1, side ? a : b, side ? as : bs, g); break;
    case VDI_DIV:
        k->binary[VDI_DIV](n, dy, 1, b, bs, g);
        if (side) {
            k->binary[VDI_MUL](n, g, 1, y, 1, g);
            k->axpby(n, -1, g, 0, g);
        }
        break;
    case VDI_POW:
        VDI__BOTH(dtype, {
            const real *x = (const real *)a;
            const real *e = (const real *)b;
            const real *ys = (const real *)y;
            const real *d = (const real *)dy;
            real *out = (real *)g;
            for (int64_t i = 0; i < count; i++) {
                const double base = x[i * as], power = e[i * bs];
                if (side)
                    out[i] = (real)(base == 0 ? 0 : d[i] * ys[i] * log(base));
                else
                    out[i] = (real)(power == 0 ? 0 : d[i] * power * pow(base, power - 1));
            }
        });
        break;
    default:
        VDI__BOTH(dtype, {
            const real *x = (const real *)a, *e = (const real *)b, *d = (const real *)dy;
            real *out = (real *)g;
            for (int64_t i = 0; i < count; i++) {
                bool first = op == VDI_MAX ? x[i * as] >= e[i * bs] : x[i * as] <= e[i * bs];
                out[i] = first == !side ? d[i] : 0;
            }
        });
    }
}

/* The gradient of one argument of a broadcast operation, row by row. */
VDI__FN void vdi__binary_side(vdi_tape *t, vdi__node *n, const vdi__bcast *p, int side) {
    vdi__node *a = n->in[0], *b = n->in[1], *x = n->in[side];
    const vdi__kernels *k = t->k[n->dtype];
    int op = n->op & 15, step = side ? p->b_step : p->a_step;
    char *g = (char *)vdi__grad_zeroed(t, x);
    if (!g) return;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *s = vdi__tape_data(t, vdi__binary_where[op], (size_t)p->inner * vdi__real_size(n->dtype));
    if (s && !t->measure) {
        vdi__bcast_at r = VDI__ZERO;
        if (p->ndim == 2 && op <= VDI_SUB && step == 1 && (side ? p->sb : p->sa)[0] == 0 &&
            op == VDI_ADD) { /* a bias */
            k->sum_rows((size_t)p->rows, (size_t)p->inner, n->grad, (size_t)p->inner, 1, g);
        } else {
            for (int64_t i = 0; i < p->rows; i++, vdi__bcast_next(p, &r)) {
                const void *av = vdi__elem(n, a->value, r.a);
                const void *bv = vdi__elem(n, b->value, r.b);
                const void *dy = vdi__elem(n, n->grad, r.y);
                char *to = (char *)vdi__elem(n, g, side ? r.b : r.a);
                const void *full = s;
                if (op == VDI_ADD) {
                    full = dy;
                } else {
                    vdi__binary_row(k, n->dtype, op, side, p->inner, av, p->a_step, bv, p->b_step,
                                    vdi__elem(n, n->value, r.y), dy, s);
                }
                if (step)
                    k->axpby((size_t)p->inner, 1, full, 1, to);
                else
                    vdi__store(n->dtype, to, 0,
                               vdi__load(n->dtype, to, 0) + k->sum((size_t)p->inner, full));
            }
        }
    }
    vdi__scratch_end(t, m);
}

VDI__FN void vdi__broadcast_back(vdi_tape *t, vdi__node *n) {
    const vdi__bcast *p = (const vdi__bcast *)n->extra;
    for (int side = 0; side < 2; side++)
        if (vdi__wants(n->in[side])) vdi__binary_side(t, n, p, side);
}

/* Arguments of one shape, or one of a single element: one row. */
VDI__FN void vdi__binary_back(vdi_tape *t, vdi__node *n) {
    const vdi__kernels *k = t->k[n->dtype];
    size_t count = (size_t)n->count;
    int op = n->op & 15;
    for (int side = 0; side < 2; side++) {
        vdi__node *x = n->in[side], *other = n->in[1 - side];
        int step = n->op >> (4 + side) & 1, other_step = n->op >> (5 - side) & 1;
        bool add;
        if (!vdi__wants(x)) continue;
        if (op > VDI_MUL || !step) {
            vdi__bcast p;
            memset(&p, 0, sizeof p);
            p.ndim = 1;
            p.rows = n->count > 0;
            p.inner = p.shape[0] = n->count;
            p.a_step = n->op >> 4 & 1;
            p.b_step = n->op >> 5 & 1;
            vdi__binary_side(t, n, &p, side);
            continue;
        }
        void *g = vdi__grad_open(t, x, &add);
        if (!g || t->measure) continue;
        if (op == VDI_MUL) {
            if (add)
                k->muladd(count, n->grad, 1, other->value, other_step, g);
            else
                k->binary[VDI_MUL](count, n->grad, 1, other->value, other_step, g);
        } else {
            k->axpby(count, op == VDI_SUB && side ? -1 : 1, n->grad, add ? 1 : 0, g);
        }
    }
}

VDI__NOINLINE VDI__FN vdi_var vdi__binary_general(vdi_tape *t, int op, vdi__node *a, vdi__node *b,
                                                  const char *where) {
    int64_t shape[VDI_MAX_DIMS];
    int ndim =
        vdi_broadcast_shape(vdi__node_tensor(t, a, NULL), vdi__node_tensor(t, b, NULL), shape);
    if (ndim < 0) return vdi__shapes_differ(t, where, a, b, "they do not broadcast");
    vdi__node *n = vdi__node_shaped(t, where, (vdi_dtype)a->dtype, ndim, shape, true);
    vdi__bcast *p = n ? (vdi__bcast *)vdi__tape_payload(t, where, sizeof *p) : NULL;
    if (!p) return vdi_var_none();
    vdi__bcast_make(p, ndim, shape, a, b);
    n->in[0] = a;
    n->in[1] = b;
    n->op = (uint8_t)op;
    n->extra = p;
    if (!t->measure) {
        vdi__bcast_at r = VDI__ZERO;
        for (int64_t i = 0; i < p->rows; i++, vdi__bcast_next(p, &r)) {
            t->k[n->dtype]->binary[op]((size_t)p->inner, vdi__elem(n, a->value, r.a), p->a_step,
                                       vdi__elem(n, b->value, r.b), p->b_step,
                                       vdi__elem(n, n->value, r.y));
        }
    }
    return vdi__node_link(t, n, (unsigned)(a->flags | b->flags), vdi__broadcast_back);
}

VDI__DEF vdi_var vdi_var_binary(vdi_tape *t, vdi_binary_op op, vdi_var av, vdi_var bv) {
    if ((unsigned)op >= VDI_BINARY_COUNT) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, "vdi_var_binary", "there is no operation %d",
                             (int)op);
    }
    const char *where = vdi__binary_where[op];
    vdi__node *a = vdi__arg(t, av, where), *b = vdi__arg(t, bv, where);
    int as = 1, bs = 1;
    if (!a || !b || !vdi__same_dtype(t, where, a, b)) return vdi_var_none();
    if (!vdi__same_shape(a, b)) {
        if (b->count == 1 && b->ndim <= a->ndim)
            bs = 0;
        else if (a->count == 1 && a->ndim <= b->ndim)
            as = 0;
        else
            return vdi__binary_general(t, (int)op, a, b, where);
    }
    vdi__node *n = vdi__node_like(t, where, as ? a : b, true);
    if (!n) return vdi_var_none();
    n->in[0] = a;
    n->in[1] = b;
    n->op = (uint8_t)((unsigned)op | (unsigned)as << 4 | (unsigned)bs << 5);
    if (VDI__LIKELY(!t->measure))
        t->k[n->dtype]->binary[op]((size_t)n->count, a->value, as, b->value, bs, n->value);
    return vdi__node_link(t, n, (unsigned)(a->flags | b->flags), vdi__binary_back);
}

/* A scalar constant of a given dtype. */
VDI__FN vdi_var vdi__scalar_of(vdi_tape *t, const char *where, vdi_dtype dtype, double value) {
    vdi__node *n = vdi__node_shaped(t, where, dtype, 0, NULL, true);
    if (!n) return vdi_var_none();
    if (!t->measure) vdi__store(n->dtype, n->value, 0, value);
    return vdi__var_of(t, n);
}

VDI__DEF vdi_var vdi_var_pow_scalar(vdi_tape *t, vdi_var xv, double p) {
    vdi__node *x = vdi__arg(t, xv, "vdi_var_pow_scalar");
    if (!x) return vdi_var_none();
    return vdi_var_pow(t, xv, vdi__scalar_of(t, "vdi_var_pow_scalar", (vdi_dtype)x->dtype, p));
}

/* ======== a choice ============================================================================ */

VDI__FN void vdi__where_back(vdi_tape *t, vdi__node *n) {
    for (int side = 1; side < 3; side++) {
        if (!vdi__wants(n->in[side])) continue;
        void *g = vdi__grad_zeroed(t, n->in[side]);
        if (!g || t->measure) continue;
        VDI__BOTH(n->dtype, {
            const real *mask = (const real *)n->in[0]->value, *dy = (const real *)n->grad;
            real *dx = (real *)g;
            for (int64_t i = 0; i < n->count; i++)
                if ((mask[i] != 0) == (side == 1)) dx[i] += dy[i];
        });
    }
}

VDI__DEF vdi_var vdi_var_where(vdi_tape *t, vdi_var mv, vdi_var av, vdi_var bv) {
    static const char where[] = "vdi_var_where";
    int64_t s[VDI_MAX_DIMS];
    vdi__node *m = vdi__arg(t, mv, where), *a = vdi__arg(t, av, where), *b = vdi__arg(t, bv, where);
    if (!m || !a || !b || !vdi__same_dtype(t, where, m, a) || !vdi__same_dtype(t, where, a, b))
        return vdi_var_none();
    if (!vdi__same_shape(m, a) || !vdi__same_shape(a, b)) {
        int ndim =
            vdi_broadcast_shape(vdi__node_tensor(t, m, NULL), vdi__node_tensor(t, a, NULL), s);
        if (ndim < 0)
            return vdi__shapes_differ(t, where, m, a, "mask and first argument do not broadcast");
        ndim = vdi_broadcast_shape(vdi_tensor_view(NULL, VDI_F32, ndim, s),
                                   vdi__node_tensor(t, b, NULL), s);
        if (ndim < 0) return vdi__shapes_differ(t, where, a, b, "they do not broadcast");
        m = vdi__arg(t, vdi_var_broadcast_to(t, mv, ndim, s), where);
        a = vdi__arg(t, vdi_var_broadcast_to(t, av, ndim, s), where);
        b = vdi__arg(t, vdi_var_broadcast_to(t, bv, ndim, s), where);
        if (!m || !a || !b) return vdi_var_none();
    }
    vdi__node *n = vdi__node_like(t, where, a, true);
    if (!n) return vdi_var_none();
    n->in[0] = m;
    n->in[1] = a;
    n->in[2] = b;
    if (!t->measure) {
        VDI__BOTH(n->dtype, {
            const real *mask = (const real *)m->value;
            const real *x = (const real *)a->value;
            const real *z = (const real *)b->value;
            real *y = (real *)n->value;
            for (int64_t i = 0; i < n->count; i++)
                y[i] = mask[i] != 0 ? x[i] : z[i];
        });
    }
    return vdi__node_link(t, n, (unsigned)(a->flags | b->flags), vdi__where_back);
}
#endif
