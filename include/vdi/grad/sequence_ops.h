/* grad/sequence_ops.h - operations along time: convolution, gated recurrent unit, linear recurrence
 *
 * Do this:
 *     vdi_var f = vdi_var_conv1d(t, x, w, b, -1, VDI_ACT_RELU, 0);         x (B,T,cin), same length
 *     vdi_var c = vdi_var_scan(t, gamma, spikes, vdi_var_none(), 1);      c_t = gamma c_{t-1} + s_t
 *
 * Each is one node: forward and backward are whole kernels.
 */
#ifndef VDI_GRAD_SEQUENCE_OPS_H
#define VDI_GRAD_SEQUENCE_OPS_H
#include "matrix_ops.h"

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
/** c_t = a_t c_{t-1} + b_t along an axis: an AR(1) filter. a broadcasts to the shape of b; c0 (the
 * shape of b without the axis)
 *  stands before the first element, and is zero if it is the null variable. */
VDI_API vdi_var vdi_var_scan(vdi_tape *t, vdi_var a, vdi_var b, vdi_var c0, int axis);

#endif /* VDI_GRAD_SEQUENCE_OPS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_SEQUENCE_OPS_C)
#define VDI_GRAD_SEQUENCE_OPS_C

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
                    if (ga && i > 0) ((real *)ga)[base + i] += run * c[i - 1];
                    if (ga && i == 0 && c0)
                        ((real *)ga)[base] += run * ((const real *)c0->value)[o];
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
