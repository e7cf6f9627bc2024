/* model/sacd/values.h - the outputs of a critic: values, the smaller twin, gradients with respect
 * to the action
 *
 * The functions are declared in model/sacd/critic.h.
 *
 * All of it works on chunks of rows in the scratch of the critic's first worker, so nothing is
 * allocated. The slope of the composite needs one backward pass for each row, through the twin that
 * is the smaller one there; the rows of each twin are closed up for it.
 */
#ifndef VDI_MODEL_SACD_VALUES_H
#define VDI_MODEL_SACD_VALUES_H
#include "critic.h"

#endif /* VDI_MODEL_SACD_VALUES_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_VALUES_C)
#define VDI_MODEL_SACD_VALUES_C

/* ---- the smaller twin ---------------------------------------------------------------------- */

/* One row of the composite rule: the twin whose sum is smaller. */
VDI__FN int vdi__minimum_whole(vdi_dtype t, size_t at, int64_t heads, const double *weights,
                               const void *q0, const void *q1, double *least) {
    double sum[2] = {0, 0};
    for (int64_t i = 0; i < heads; i++) {
        const double w = weights ? weights[i] : 1;
        sum[0] += w * vdi__load(t, q0, at + (size_t)i);
        sum[1] += w * vdi__load(t, q1, at + (size_t)i);
    }
    const int j = sum[1] < sum[0];
    *least = sum[j];
    return j;
}

/* One head of the element-wise rule, of w_i Q_i: a negative weight turns the order over. */
VDI__FN int vdi__minimum_head(double w, double first, double second, double *sum) {
    const int j = w < 0 ? second > first : second < first;
    *sum += w * (j ? second : first);
    return j;
}

VDI__DEF void vdi_critic_minimum(vdi_dtype dtype, vdi_critic_rule rule, int64_t n, int64_t heads,
                                 const double *weights, const void *q0, const void *q1,
                                 void *values, double *composite, unsigned char *from) {
    const bool whole = rule == VDI_CRITIC_COMPOSITE;
    for (int64_t b = 0; b < n; b++) {
        const size_t at = (size_t)(b * heads);
        double total = 0;
        int j = 0;
        if (whole) j = vdi__minimum_whole(dtype, at, heads, weights, q0, q1, &total);
        for (int64_t i = 0; i < heads && (values || from || !whole); i++) {
            const double first = vdi__load(dtype, q0, at + (size_t)i);
            const double second = vdi__load(dtype, q1, at + (size_t)i);
            if (!whole) j = vdi__minimum_head(weights ? weights[i] : 1, first, second, &total);
            if (values) vdi__store(dtype, values, at + (size_t)i, j ? second : first);
            if (from) from[at + (size_t)i] = (unsigned char)j;
        }
        if (composite) composite[b] = total;
    }
}

/* ---- both twins on rows -------------------------------------------------------------------- */

/* Rows at ... at+n of (obs, action) side by side. */
VDI__FN void vdi__critic_join(const vdi_critic *c, size_t n, size_t at, const void *obs,
                              const void *action, void *x) {
    const size_t size = vdi_dtype_size(c->desc.dtype);
    const size_t o = (size_t)c->desc.observations * size, a = (size_t)c->desc.actions * size;
    for (size_t b = 0; b < n; b++) {
        char *row = (char *)x + b * (o + a);
        memcpy(row, (const char *)obs + (at + b) * o, o);
        memcpy(row + o, (const char *)action + (at + b) * a, a);
    }
}

/* The weights of one of the four nets. */
VDI__FN const void *vdi__critic_block(const vdi_critic *c, int which) {
    const vdi__learner *e = &c->twin[which & 1];
    return which & VDI_CRITIC_TARGET ? e->target : e->value;
}

/* Both twins on rows x (n,inputs); the results are s->h[j][top]. */
VDI__FN void vdi__critic_twins(const vdi_critic *c, vdi__critic_space *s, int which, size_t n,
                               const void *x) {
    for (int j = 0; j < 2; j++) {
        vdi__mlp_forward(&c->net, vdi__critic_block(c, (which & VDI_CRITIC_TARGET) | j), n, x,
                         c->net.width[0], s->h[j]);
    }
}

/* Are all observations and actions finite? A ReLU may hide that one is not. */
VDI__FN vdi_status vdi__critic_finite(const vdi_critic *c, int64_t n, const void *obs,
                                      const void *action) {
    const vdi_dtype t = c->desc.dtype;
    const size_t rows = n > 0 ? (size_t)n : 0;
    const size_t bad = vdi_count_nonfinite(t, rows * (size_t)c->desc.observations, obs) +
                       vdi_count_nonfinite(t, rows * (size_t)c->desc.actions, action);
    return bad ? VDI_ERR_DATA : VDI_OK;
}

/* Zeros for what cannot be answered. */
VDI__FN void vdi__critic_blank(void *out, int64_t n, int64_t each, size_t size) {
    if (out && n > 0) memset(out, 0, (size_t)n * (size_t)each * size);
}

/* ---- slope of the composite ---------------------------------------------------------------- */

/* The element-wise rule: every twin goes backward, from those heads that it was the smaller in. */
VDI__FN void vdi__slope_heads(const vdi_critic *c, vdi__critic_space *s, int j, size_t n,
                              const double *weights, void *da) {
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads, actions = (size_t)c->desc.actions;
    const void *block = c->twin[j].value;
    for (size_t i = 0; i < n * heads; i++) {
        const double w = weights ? weights[i % heads] : 1;
        vdi__store(t, s->dz[top], i, s->from[i] == j ? w : 0);
    }
    vdi__mlp_backward(net, block, top, n, s->h[j], s->dz);
    vdi__mlp_input_grad(net, block, n, (size_t)c->desc.observations, actions, s->dz[0],
                        j ? s->da : da);
    if (j) vdi_axpby(t, n * actions, 1, s->da, 1, da);
}

/* The composite rule: the `count` rows s->row of one twin, all of which share the cotangent W w. */
VDI__FN void vdi__slope_rows(const vdi_critic *c, vdi__critic_space *s, int j, size_t count,
                             void *da) {
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    const int top = net->layers - 1;
    const size_t row = (size_t)c->desc.actions * vdi_dtype_size(t);
    const void *block = c->twin[j].value;
    for (int l = top - 1; l >= 0; l--) {
        const size_t out = net->width[l + 1];
        if (l < top - 1) {
            vdi_gemm(t, VDI_GEMM_TB, count, out, net->width[l + 2], s->dz[l + 1], net->width[l + 2],
                     vdi__part(t, block, net->weight[l + 1]), net->width[l + 2], s->dz[l], out);
        }
        for (size_t k = 0; k < count; k++) {
            void *to = vdi__part(t, s->dz[l], k * out);
            const void *h = vdi__part(t, s->h[j][l], (size_t)s->row[k] * out);
            vdi_act_grad(t, VDI_ACT_RELU, 0, out, h, l == top - 1 ? s->slope : to, to);
        }
    }
    vdi__mlp_input_grad(net, block, count, (size_t)c->desc.observations, (size_t)c->desc.actions,
                        s->dz[0], s->da);
    for (size_t k = 0; k < count; k++)
        memcpy((char *)da + (size_t)s->row[k] * row, (const char *)s->da + k * row, row);
}

/* s->slope = W w of one twin, and s->row the rows where it is the smaller; returns how many. */
VDI__FN size_t vdi__slope_begin(const vdi_critic *c, vdi__critic_space *s, int j, size_t n,
                                const double *weights) {
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads, width = net->width[top];
    const void *last = vdi__part(t, c->twin[j].value, net->weight[top]);
    void *w = vdi__part(t, s->slope, width);
    size_t count = 0;
    for (size_t i = 0; i < heads; i++)
        vdi__store(t, w, i, weights ? weights[i] : 1);
    vdi_gemv(t, 0, width, heads, last, heads, w, s->slope);
    for (size_t b = 0; b < n; b++) {
        if (s->from[b * heads] == j) s->row[count++] = (int64_t)b;
    }
    return count;
}

/* After vdi__critic_twins, with s->from filled: d composite / d action, da (n,actions). */
VDI__FN void vdi__critic_slope(const vdi_critic *c, vdi__critic_space *s, vdi_critic_rule rule,
                               size_t n, const double *weights, void *da) {
    for (int j = 0; j < 2; j++) {
        if (rule == VDI_CRITIC_ELEMENTWISE) {
            vdi__slope_heads(c, s, j, n, weights, da);
            continue;
        }
        const size_t count = vdi__slope_begin(c, s, j, n, weights);
        if (count) vdi__slope_rows(c, s, j, count, da);
    }
}

/* ---- questions ----------------------------------------------------------------------------- */

VDI__DEF vdi_status vdi_critic_values(vdi_critic *c, int which, int64_t n, const void *obs,
                                      const void *action, void *values) {
    vdi__critic_space *s = &c->space[0];
    const size_t heads = (size_t)c->desc.heads, size = vdi_dtype_size(c->desc.dtype);
    vdi_status status = vdi__critic_finite(c, n, obs, action);
    if (status < 0) {
        vdi__critic_blank(values, n, c->desc.heads, size);
        return status;
    }
    for (int64_t at = 0; at < n; at += c->chunk) {
        const size_t rows = (size_t)VDI__MIN(c->chunk, n - at);
        vdi__critic_join(c, rows, (size_t)at, obs, action, s->x);
        vdi__mlp_forward(&c->net, vdi__critic_block(c, which), rows, s->x, c->net.width[0],
                         s->h[0]);
        memcpy((char *)values + (size_t)at * heads * size, s->h[0][c->net.layers - 1],
               rows * heads * size);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_critic_best(vdi_critic *c, int which, vdi_critic_rule rule, int64_t n,
                                    const void *obs, const void *action, const double *weights,
                                    void *values, double *composite, void *action_grad) {
    vdi__critic_space *s = &c->space[0];
    const vdi_dtype t = c->desc.dtype;
    const int top = c->net.layers - 1;
    const bool slope = action_grad && !(which & VDI_CRITIC_TARGET);
    vdi_status status = vdi__critic_finite(c, n, obs, action);
    if (status < 0) {
        vdi__critic_blank(values, n, c->desc.heads, vdi_dtype_size(t));
        vdi__critic_blank(composite, n, 1, sizeof *composite);
        if (slope) vdi__critic_blank(action_grad, n, c->desc.actions, vdi_dtype_size(t));
        return status;
    }
    for (int64_t at = 0; at < n; at += c->chunk) {
        const int64_t rows = VDI__MIN(c->chunk, n - at);
        vdi__critic_join(c, (size_t)rows, (size_t)at, obs, action, s->x);
        vdi__critic_twins(c, s, which, (size_t)rows, s->x);
        vdi_critic_minimum(t, rule, rows, c->desc.heads, weights, s->h[0][top], s->h[1][top],
                           values ? vdi__part(t, values, (size_t)(at * c->desc.heads)) : NULL,
                           composite ? composite + at : NULL, s->from);
        if (slope) {
            vdi__critic_slope(c, s, rule, (size_t)rows, weights,
                              vdi__part(t, action_grad, (size_t)(at * c->desc.actions)));
        }
    }
    return VDI_OK;
}

/* dz[top-1] (n,width) = e[:,head] W[:,head]' * rectified: the cotangent of one head alone; e
   (n,heads), or NULL for all 1. */
VDI__FN void vdi__critic_one_head(const vdi_critic *c, const void *block, size_t n, size_t head,
                                  const void *e, void *const *h, void *const *dz) {
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads, width = net->width[top];
    const void *w = vdi__part(t, block, net->weight[top] + head);
    if (e) {
        vdi_gemm(t, VDI_GEMM_TB, n, width, 1, vdi__part(t, e, head), heads, w, heads, dz[top - 1],
                 width);
    }
    for (size_t b = 0; !e && b < n; b++) {
        for (size_t i = 0; i < width; i++)
            vdi__store(t, dz[top - 1], b * width + i, vdi__load(t, w, i * heads));
    }
    vdi_act_grad(t, VDI_ACT_RELU, 0, n * width, h[top - 1], dz[top - 1], dz[top - 1]);
}

/* Receives d Q_head / d action, da (rows,actions), of rows at ... at+rows. */
typedef void (*vdi__critic_take_fn)(const vdi_critic *c, size_t at, size_t rows, size_t head,
                                    const void *da, void *user);

/* The gradients of all heads of one net, chunk by chunk and head by head. */
VDI__FN void vdi__critic_each_head(vdi_critic *c, const void *block, int64_t n, const void *obs,
                                   const void *action, vdi__critic_take_fn take, void *user) {
    const vdi__mlp *net = &c->net;
    vdi__critic_space *s = &c->space[0];
    const size_t heads = (size_t)c->desc.heads, actions = (size_t)c->desc.actions;
    for (int64_t at = 0; at < n; at += c->chunk) {
        const size_t rows = (size_t)VDI__MIN(c->chunk, n - at);
        vdi__critic_join(c, rows, (size_t)at, obs, action, s->x);
        vdi__mlp_forward(net, block, rows, s->x, net->width[0], s->h[0]);
        for (size_t i = 0; i < heads; i++) {
            vdi__critic_one_head(c, block, rows, i, NULL, s->h[0], s->dz);
            vdi__mlp_backward(net, block, net->layers - 2, rows, s->h[0], s->dz);
            vdi__mlp_input_grad(net, block, rows, (size_t)c->desc.observations, actions, s->dz[0],
                                s->da);
            take(c, (size_t)at, rows, i, s->da, user);
        }
    }
}

VDI__FN void vdi__critic_take_grad(const vdi_critic *c, size_t at, size_t rows, size_t head,
                                   const void *da, void *user) {
    const size_t heads = (size_t)c->desc.heads;
    const size_t row = (size_t)c->desc.actions * vdi_dtype_size(c->desc.dtype);
    for (size_t b = 0; b < rows; b++) {
        memcpy((char *)user + ((at + b) * heads + head) * row, (const char *)da + b * row, row);
    }
}

VDI__DEF vdi_status vdi_critic_action_grad(vdi_critic *c, int which, int64_t n, const void *obs,
                                           const void *action, void *out) {
    const size_t row = (size_t)c->desc.actions * vdi_dtype_size(c->desc.dtype);
    vdi_status status = vdi__critic_finite(c, n, obs, action);
    if (status < 0) {
        vdi__critic_blank(out, n, c->desc.heads, row);
        return status;
    }
    vdi__critic_each_head(c, vdi__critic_block(c, which), n, obs, action, vdi__critic_take_grad,
                          out);
    return VDI_OK;
}

typedef struct vdi__critic_influence {
    const double *weights;
    double *out; /* (n,heads) */
} vdi__critic_influence;

VDI__FN void vdi__critic_take_norm(const vdi_critic *c, size_t at, size_t rows, size_t head,
                                   const void *da, void *user) {
    const vdi__critic_influence *to = (const vdi__critic_influence *)user;
    const size_t heads = (size_t)c->desc.heads, actions = (size_t)c->desc.actions;
    const double weight = to->weights ? fabs(to->weights[head]) : 1;
    for (size_t b = 0; b < rows; b++) {
        double square = 0;
        for (size_t k = 0; k < actions; k++) {
            const double g = vdi__load(c->desc.dtype, da, b * actions + k);
            square += g * g;
        }
        to->out[(at + b) * heads + head] = sqrt(square) * weight;
    }
}

VDI__DEF vdi_status vdi_critic_influence(vdi_critic *c, int64_t n, const void *obs,
                                         const void *action, const double *weights,
                                         double *influence) {
    vdi__critic_influence to;
    vdi_status status = vdi__critic_finite(c, n, obs, action);
    if (status < 0) {
        vdi__critic_blank(influence, n, c->desc.heads, sizeof *influence);
        return status;
    }
    to.weights = weights;
    to.out = influence;
    vdi__critic_each_head(c, c->twin[0].value, n, obs, action, vdi__critic_take_norm, &to);
    return VDI_OK;
}
#endif
