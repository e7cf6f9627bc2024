/* model/pretrained/network.h - the pretrained network: its parameters, and its output on a tape
 *
 * At 30 Hz, C channels: h = a(S * x) with a stem S of stride 2; g = a(D * h_4) at 7.5 Hz, where h_4
 * is four steps of h side by side, then g <- g + a(K_l * g) with five taps dilated by 2^l, and h <-
 * h
 * + U g, four steps from each; then h <- h + a(W_l * h) with dilated taps; a head of three taps
 * gives for each step the numbers of two samples at 60 Hz: softplus is the expected spikes, the
 * trace without noise, softplus is the spread. a(z) = leaky(z (1 + g) + d), where g and d, one pair
 * for each channel and layer, come from the statistics of the trace.
 */
#ifndef VDI_MODEL_PRETRAINED_NETWORK_H
#define VDI_MODEL_PRETRAINED_NETWORK_H
#include "prepare.h"

/** Its parameters in order, for each member m: m.stats.mean and m.stats.sd (frozen), m.stem.weight,
 * the layers' weights, m.down.weight, the context's weights, m.up.weight, m.film.0 and m.film.1
 * weight and bias, m.head.weight, m.head.bias. Returns how many; writes those that fit into
 * `list`. */
VDI_API int64_t vdi_pretrained_declare(const vdi_pretrained_desc *d, vdi_param_desc *list,
                                       int64_t capacity);
/** What the network says of a batch; each (B,N). */
typedef struct vdi_pretrained_vars {
    vdi_var spikes; /**< expected spikes of each sample */
    vdi_var spread; /**< a of the variance M + a M^2 of a count */
    vdi_var clean;  /**< the prepared trace without noise */
} vdi_pretrained_vars;
/** The network on a tape: x (B,N) prepared traces, N even, stats (B,VDI_PRETRAINED_STATS). Where N
 * is no multiple of 8, zeros are put behind x. */
VDI_API vdi_pretrained_vars vdi_pretrained_apply(vdi_tape *t, const vdi_pretrained_desc *d,
                                                 const vdi_param *first, vdi_var x, vdi_var stats);

#endif /* VDI_MODEL_PRETRAINED_NETWORK_H */

#if defined(VDI__BODIES) && defined(VDI_PRETRAINED_IMPLEMENTATION) && \
    !defined(VDI_MODEL_PRETRAINED_NETWORK_C)
#define VDI_MODEL_PRETRAINED_NETWORK_C

#define VDI__PRE_SLOPE 0.1
/* steps of 30 Hz in one of the context; taps of its layers; taps of the head, numbers that it gives
 * for a step */
enum { VDI__PRE_SLOW = 4, VDI__PRE_TAPS = 5, VDI__PRE_HEAD_TAPS = 3, VDI__PRE_OUT = 6 };
enum { VDI__PRE_DOWN_TAPS = 3 };

/* ======== description ========================================================================= */

VDI__DEF const vdi_fields *vdi_pretrained_desc_fields(void) {
#define VDI__PRE_INT(member, initial, least, most, help) \
    VDI_FIELD_INT32(vdi_pretrained_desc, member, initial, least, most, help)
    static const vdi_field rows[] = {
        VDI__PRE_INT(channels, 32, 1, 1024, "channels of every layer"),
        VDI__PRE_INT(stem, 17, 1, 255, "pairs of samples that the first layer sees, odd"),
        VDI__PRE_INT(width, 7, 1, 255, "taps of the layers at 30 Hz, odd"),
        VDI__PRE_INT(layers, 4, 1, VDI_LAYERS_MAX, "layers at 30 Hz"),
        VDI__PRE_INT(context, 1, 1, VDI_PRETRAINED_CONTEXT, "layers at 7.5 Hz"),
        VDI__PRE_INT(hidden, 40, 1, 1024, "units of the conditioning network"),
        VDI__PRE_INT(members, 1, 1, VDI_PRETRAINED_MEMBERS, "networks that are averaged"),
    };
#undef VDI__PRE_INT
    static const vdi_fields table = {"vdi_pretrained_desc", rows, (int)VDI__COUNT(rows)};
    return &table;
}

VDI__FN vdi_pretrained_desc vdi__pretrained_filled(const vdi_pretrained_desc *desc) {
    vdi_pretrained_desc d = VDI__ZERO;
    if (desc) d = *desc;
    vdi_fields_fill(vdi_pretrained_desc_fields(), &d);
    for (int i = 0; i < VDI_LAYERS_MAX; i++) {
        if (i >= d.layers)
            d.dilation[i] = 0;
        else if (d.dilation[i] == 0)
            d.dilation[i] = 1 << i;
    }
    return d;
}

VDI__DEF vdi_pretrained_desc vdi_pretrained_desc_defaults(void) {
    return vdi__pretrained_filled(NULL);
}

VDI__DEF vdi_status vdi_pretrained_desc_check(const vdi_pretrained_desc *desc, vdi_error *err) {
    static const char where[] = "vdi_pretrained_desc";
    const vdi_pretrained_desc d = vdi__pretrained_filled(desc);
    const vdi_status status = vdi_fields_check(vdi_pretrained_desc_fields(), &d, err);
    if (status < 0) return status;
    if (d.stem % 2 == 0 || d.width % 2 == 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "stem is %d and width %d, expected odd ones", (int)d.stem,
                             (int)d.width);
    }
    for (int i = 0; i < d.layers; i++) {
        if (d.dilation[i] < 1 || d.dilation[i] > 32768) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "dilation of layer %d is %d, expected 1 to 32768", i,
                                 (int)d.dilation[i]);
        }
    }
    return VDI_OK;
}

/* ======== parameters ========================================================================== */

/* Where a member's parameters stand, and how many it has. */
typedef struct vdi__pretrained_places {
    int mean, sd, stem, layer, down, context, up, film, head, count;
    int films; /* layers that the statistics condition: the stem, layers, down, context */
} vdi__pretrained_places;
VDI__FN vdi__pretrained_places vdi__pretrained_place(const vdi_pretrained_desc *d) {
    vdi__pretrained_places p;
    p.mean = 0;
    p.sd = 1;
    p.stem = 2;
    p.layer = 3;
    p.down = p.layer + d->layers;
    p.context = p.down + 1;
    p.up = p.context + d->context;
    p.film = p.up + 1;
    p.head = p.film + 4;
    p.count = p.head + 2;
    p.films = d->layers + d->context + 2;
    return p;
}

/* The list under construction. */
typedef struct vdi__pretrained_list {
    vdi_param_desc *item;
    int64_t count, capacity;
    int member;
} vdi__pretrained_list;
VDI__FN void vdi__pretrained_append(vdi__pretrained_list *l, const char *part, int index,
                                    vdi_param_desc p) {
    if (l->count < l->capacity) {
        vdi_param_desc *to = &l->item[l->count];
        *to = p;
        if (index < 0) {
            (void)vdi_text_format(to->name, sizeof to->name, "%d.%s", l->member, part);
        } else {
            (void)vdi_text_format(to->name, sizeof to->name, "%d.%s.%d.weight", l->member, part,
                                  index);
        }
    }
    l->count++;
}

VDI__FN void vdi__pretrained_declare_member(const vdi_pretrained_desc *d, vdi__pretrained_list *l) {
    const int S = VDI_PRETRAINED_STATS, C = d->channels, H = d->hidden;
    const int F = 2 * C * vdi__pretrained_place(d).films;
    vdi_param_desc mean = vdi_param_1d("", VDI_INIT_ZEROS, 0, S);
    vdi_param_desc sd = vdi_param_1d("", VDI_INIT_CONSTANT, 1, S);
    mean.frozen = sd.frozen = true;
    vdi__pretrained_append(l, "stats.mean", -1, mean);
    vdi__pretrained_append(l, "stats.sd", -1, sd);
    vdi__pretrained_append(l, "stem.weight", -1,
                           vdi_param_3d("", VDI_INIT_FAN_IN, 1, d->stem, 2, C));
    for (int i = 0; i < d->layers; i++) {
        vdi__pretrained_append(l, "layer", i, vdi_param_3d("", VDI_INIT_FAN_IN, 1, d->width, C, C));
    }
    vdi__pretrained_append(
        l, "down.weight", -1,
        vdi_param_3d("", VDI_INIT_FAN_IN, 1, VDI__PRE_DOWN_TAPS, VDI__PRE_SLOW * C, C));
    for (int i = 0; i < d->context; i++) {
        vdi__pretrained_append(l, "context", i,
                               vdi_param_3d("", VDI_INIT_FAN_IN, 1, VDI__PRE_TAPS, C, C));
    }
    vdi__pretrained_append(l, "up.weight", -1,
                           vdi_param_3d("", VDI_INIT_FAN_IN, 0.5, 1, C, VDI__PRE_SLOW * C));
    vdi__pretrained_append(l, "film.0.weight", -1, vdi_param_2d("", VDI_INIT_FAN_IN, 1, S, H));
    vdi__pretrained_append(l, "film.0.bias", -1, vdi_param_1d("", VDI_INIT_ZEROS, 0, H));
    vdi__pretrained_append(l, "film.1.weight", -1, vdi_param_2d("", VDI_INIT_FAN_IN, 0.3, H, F));
    vdi__pretrained_append(l, "film.1.bias", -1, vdi_param_1d("", VDI_INIT_ZEROS, 0, F));
    vdi__pretrained_append(
        l, "head.weight", -1,
        vdi_param_3d("", VDI_INIT_FAN_IN, 0.3, VDI__PRE_HEAD_TAPS, C, VDI__PRE_OUT));
    vdi__pretrained_append(l, "head.bias", -1, vdi_param_1d("", VDI_INIT_ZEROS, 0, VDI__PRE_OUT));
}

VDI__DEF int64_t vdi_pretrained_declare(const vdi_pretrained_desc *desc, vdi_param_desc *list,
                                        int64_t capacity) {
    const vdi_pretrained_desc d = vdi__pretrained_filled(desc);
    vdi__pretrained_list l = {list, 0, capacity, 0};
    for (; l.member < d.members; l.member++) {
        vdi__pretrained_declare_member(&d, &l);
    }
    return l.count;
}

/* ======== conditioned layers ================================================================== */

/* y = x + leaky(h (1 + g) + s), with g and s (channels) of this layer and trace out of film (B,
   layers + 1, 2, C); without x for the stem. One pass forward, one backward: as separate operations
   it would take longer than the convolutions. */
VDI__FN vdi_status vdi__film_forward(vdi_custom *c, void *user, vdi_error *err) {
    (void)err;
    const int64_t B = c->in[0].shape[0];
    const int64_t T = c->in[0].shape[1];
    const int64_t C = c->in[0].shape[2];
    const int64_t layer = (int64_t)(intptr_t)user;
    const int64_t stride = c->in[1].shape[1];
    const vdi_dtype dtype = c->in[0].dtype;
    for (int64_t b = 0; b < B; b++) {
        VDI__BOTH(dtype, {
            const real *h = (const real *)c->in[0].data + b * T * C;
            const real *g = (const real *)c->in[1].data + b * stride + layer * 2 * C;

            const real *s = g + C;
            const real *x = c->inputs > 2 ? (const real *)c->in[2].data + b * T * C : NULL;
            real *y = (real *)c->out[0].data + b * T * C;
            for (int64_t t = 0; t < T; t++, h += C, y += C) {
                for (int64_t i = 0; i < C; i++) {
                    const real z = h[i] * (1 + g[i]) + s[i];
                    y[i] = z > 0 ? z : (real)VDI__PRE_SLOPE * z;
                }
                if (!x) continue;
                for (int64_t i = 0; i < C; i++)
                    y[i] += x[i];
                x += C;
            }
        });
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__film_backward(vdi_custom *c, void *user, vdi_error *err) {
    (void)err;
    const int64_t B = c->in[0].shape[0];
    const int64_t T = c->in[0].shape[1];
    const int64_t C = c->in[0].shape[2];
    const int64_t layer = (int64_t)(intptr_t)user;
    const int64_t stride = c->in[1].shape[1];
    const vdi_dtype dtype = c->in[0].dtype;
    const bool dh_wanted = vdi_tensor_ok(c->din[0]);
    const bool film_wanted = vdi_tensor_ok(c->din[1]);

    const bool dx_wanted = c->inputs > 2 && vdi_tensor_ok(c->din[2]);
    void *scratch = vdi_tape_scratch(c->tape, 3 * (size_t)C * vdi_dtype_size(dtype));
    if (!scratch) return VDI_ERR_MEMORY;
    if (!vdi_tensor_ok(c->dout[0])) return VDI_OK;
    for (int64_t b = 0; b < B; b++) {
        VDI__BOTH(dtype, {
            const real *h = (const real *)c->in[0].data + b * T * C;
            const real *g = (const real *)c->in[1].data + b * stride + layer * 2 * C;

            const real *s = g + C;
            const real *dy = (const real *)c->dout[0].data + b * T * C;
            real *dh = dh_wanted ? (real *)c->din[0].data + b * T * C : NULL;
            real *dx = dx_wanted ? (real *)c->din[2].data + b * T * C : NULL;
            real *dg = (real *)scratch, *ds = dg + C, *dz = ds + C;
            memset(dg, 0, 2 * (size_t)C * sizeof(real));
            for (int64_t t = 0; t < T; t++, h += C, dy += C) {
                for (int64_t i = 0; i < C; i++) {
                    const real z = h[i] * (1 + g[i]) + s[i];
                    dz[i] = z > 0 ? dy[i] : (real)VDI__PRE_SLOPE * dy[i];
                }
                for (int64_t i = 0; i < C; i++)
                    dg[i] += dz[i] * h[i];
                for (int64_t i = 0; i < C; i++)
                    ds[i] += dz[i];
                if (dh) {
                    for (int64_t i = 0; i < C; i++)
                        dh[i] += dz[i] * (1 + g[i]);
                    dh += C;
                }
                if (dx) {
                    for (int64_t i = 0; i < C; i++)
                        dx[i] += dy[i];
                    dx += C;
                }
            }
            if (film_wanted) {
                real *df = (real *)c->din[1].data + b * stride + layer * 2 * C;
                for (int64_t i = 0; i < 2 * C; i++)
                    df[i] += dg[i];
            }
        });
    }
    return VDI_OK;
}

VDI__FN vdi_var vdi__film_apply(vdi_tape *t, vdi_var h, vdi_var film, vdi_var x, int layer) {
    vdi_var in[3], y = vdi_var_none();
    vdi_tensor out = vdi_tape_value(t, h);
    vdi_custom_desc d = VDI__ZERO;
    if (!vdi_var_ok(h) || !vdi_var_ok(film)) return y;
    out.data = NULL;
    in[0] = h;
    in[1] = film;
    in[2] = x;
    d.name = "film";
    d.inputs = vdi_var_ok(x) ? 3 : 2;
    d.outputs = 1;
    d.input = in;
    d.output = &out;
    d.scratch_bytes = 3 * (size_t)out.shape[2] * vdi_dtype_size(out.dtype);
    d.forward = vdi__film_forward;
    d.backward = vdi__film_backward;
    d.user = (void *)(intptr_t)layer;
    (void)vdi_var_custom(t, &d, &y);
    return y;
}

/* ======== on the tape ========================================================================= */

/* One member on its way. */
typedef struct vdi__pretrained_graph {
    vdi_tape *t;
    const vdi_pretrained_desc *d;
    const vdi_param *item;
    vdi__pretrained_places at;
    vdi_var film;
} vdi__pretrained_graph;

VDI__FN vdi_var vdi__pretrained_param(const vdi__pretrained_graph *g, int place) {
    return vdi_tape_param(g->t, g->item + place);
}

/* Scales and shifts of all layers from the statistics. */
VDI__FN vdi_var vdi__pretrained_film(const vdi__pretrained_graph *g, vdi_var stats) {
    vdi_tape *t = g->t;
    const vdi_var centred = vdi_var_sub(t, stats, vdi__pretrained_param(g, g->at.mean));
    vdi_var z = vdi_var_clip(t, vdi_var_div(t, centred, vdi__pretrained_param(g, g->at.sd)), -3, 3);
    z = vdi_var_affine(t, z, vdi__pretrained_param(g, g->at.film),
                       vdi__pretrained_param(g, g->at.film + 1), VDI_ACT_LEAKY_RELU,
                       VDI__PRE_SLOPE);
    return vdi_var_affine(t, z, vdi__pretrained_param(g, g->at.film + 2),
                          vdi__pretrained_param(g, g->at.film + 3), VDI_ACT_NONE, 0);
}

/* What the branch at 7.5 Hz adds to h (B,T,C). */
VDI__FN vdi_var vdi__pretrained_context(const vdi__pretrained_graph *g, vdi_var h) {
    vdi_tape *t = g->t;
    const vdi_pretrained_desc *d = g->d;
    const vdi_var none = vdi_var_none();
    const int64_t B = vdi_var_dim(t, h, 0), T = vdi_var_dim(t, h, 1), C = d->channels;
    int64_t slow[3], fast[3];
    slow[0] = fast[0] = B;
    slow[1] = T / VDI__PRE_SLOW;
    slow[2] = VDI__PRE_SLOW * C;
    fast[1] = T;
    fast[2] = C;
    vdi_var y = vdi_var_conv1d(t, vdi_var_reshape(t, h, 3, slow),
                               vdi__pretrained_param(g, g->at.down), none, -1, VDI_ACT_NONE, 0);
    y = vdi__film_apply(t, y, g->film, none, d->layers + 1);
    for (int i = 0; i < d->context; i++) {
        const vdi_var c = vdi_var_conv1d_dilated(t, y, vdi__pretrained_param(g, g->at.context + i),
                                                 none, 1 << i, -1, VDI_ACT_NONE, 0);
        y = vdi__film_apply(t, c, g->film, y, d->layers + 2 + i);
    }
    y = vdi_var_conv1d(t, y, vdi__pretrained_param(g, g->at.up), none, -1, VDI_ACT_NONE, 0);
    return vdi_var_reshape(t, y, 3, fast);
}

/* The head's output (B,T,VDI__PRE_OUT). */
VDI__FN vdi_var vdi__pretrained_member(vdi__pretrained_graph *g, vdi_var x, vdi_var stats) {
    vdi_tape *t = g->t;
    const vdi_var none = vdi_var_none();
    int64_t pair[3];
    pair[0] = vdi_var_dim(t, x, 0);
    pair[1] = vdi_var_dim(t, x, 1) / 2;
    pair[2] = 2;
    g->film = vdi__pretrained_film(g, stats);
    vdi_var h = vdi_var_conv1d(t, vdi_var_reshape(t, x, 3, pair),
                               vdi__pretrained_param(g, g->at.stem), none, -1, VDI_ACT_NONE, 0);
    h = vdi__film_apply(t, h, g->film, none, 0);
    h = vdi_var_add(t, h, vdi__pretrained_context(g, h));
    for (int i = 0; i < g->d->layers; i++) {
        const vdi_var c = vdi_var_conv1d_dilated(t, h, vdi__pretrained_param(g, g->at.layer + i),
                                                 none, g->d->dilation[i], -1, VDI_ACT_NONE, 0);
        h = vdi__film_apply(t, c, g->film, h, i + 1);
    }
    return vdi_var_conv1d(t, h, vdi__pretrained_param(g, g->at.head),
                          vdi__pretrained_param(g, g->at.head + 1), -1, VDI_ACT_NONE, 0);
}

/* Two numbers of each step, from the k-th on, as (B,N). */
VDI__FN vdi_var vdi__pretrained_pick(vdi_tape *t, vdi_var head, int k) {
    int64_t flat[2];
    flat[0] = vdi_var_dim(t, head, 0);
    flat[1] = 2 * vdi_var_dim(t, head, 1);
    return vdi_var_reshape(t, vdi_var_slice(t, head, 2, k, 1, 2), 2, flat);
}

/* x (B,N) with zeros behind it, to a multiple of `whole`. */
VDI__FN vdi_var vdi__pretrained_pad(vdi_tape *t, vdi_var x, int64_t whole) {
    const int64_t rest = vdi_var_dim(t, x, 1) % whole;
    vdi_var part[2];
    if (rest == 0) return x;
    part[0] = x;
    part[1] = vdi_var_mul_scalar(t, vdi_var_slice(t, x, 1, 0, 1, whole - rest), 0);
    return vdi_var_concat(t, part, 2, 1);
}

/* The mean over members, without what was put behind. */
VDI__FN vdi_var vdi__pretrained_mean(vdi_tape *t, vdi_var sum, int members, int64_t N) {
    if (vdi_var_ok(sum) && vdi_var_dim(t, sum, 1) != N) sum = vdi_var_slice(t, sum, 1, 0, 1, N);
    return members > 1 ? vdi_var_mul_scalar(t, sum, 1.0 / members) : sum;
}

VDI__DEF vdi_pretrained_vars vdi_pretrained_apply(vdi_tape *t, const vdi_pretrained_desc *desc,
                                                  const vdi_param *first, vdi_var x,
                                                  vdi_var stats) {
    const vdi_pretrained_desc d = vdi__pretrained_filled(desc);
    const int64_t N = vdi_var_dim(t, x, 1), whole = 2 * VDI__PRE_SLOW;
    vdi__pretrained_graph g;
    vdi_pretrained_vars sum;
    sum.spikes = sum.spread = sum.clean = vdi_var_none();
    if (vdi_var_ok(x) && (vdi_var_ndim(t, x) != 2 || N % 2 || N < whole)) {
        (void)vdi_tape_fail(t, VDI_ERR_SHAPE, "vdi_pretrained_apply",
                            "x has %d axes and %lld samples, expected (traces, an even number of "
                            "%d or more)",
                            vdi_var_ndim(t, x), (long long)N, (int)whole);
        return sum;
    }
    x = vdi__pretrained_pad(t, x, whole);
    g.t = t;
    g.d = &d;
    g.at = vdi__pretrained_place(&d);
    for (int m = 0; m < d.members; m++) {
        g.item = first + m * g.at.count;
        const vdi_var head = vdi__pretrained_member(&g, x, stats);
        const vdi_var spikes = vdi_var_softplus(t, vdi__pretrained_pick(t, head, 0));
        const vdi_var clean = vdi__pretrained_pick(t, head, 2);
        const vdi_var spread = vdi_var_softplus(t, vdi__pretrained_pick(t, head, 4));
        sum.spikes = m ? vdi_var_add(t, sum.spikes, spikes) : spikes;
        sum.clean = m ? vdi_var_add(t, sum.clean, clean) : clean;
        sum.spread = m ? vdi_var_add(t, sum.spread, spread) : spread;
    }
    sum.spikes = vdi__pretrained_mean(t, sum.spikes, d.members, N);
    sum.clean = vdi__pretrained_mean(t, sum.clean, d.members, N);
    sum.spread = vdi__pretrained_mean(t, sum.spread, d.members, N);
    return sum;
}

/* ======== a network =========================================================================== */

struct vdi_pretrained {
    vdi_pretrained_desc desc;
    vdi__pretrained_places at;
    vdi_params *params;
    vdi_allocator allocator;
};

VDI__FN vdi_status vdi__pretrained_params_create(vdi_pretrained *net, vdi_rng *rng,
                                                 vdi_error *err) {
    const vdi_allocator *a = &net->allocator;
    const int64_t count = vdi_pretrained_declare(&net->desc, NULL, 0);
    const size_t bytes = (size_t)count * sizeof(vdi_param_desc);
    vdi_param_desc *list = (vdi_param_desc *)vdi_alloc(a, bytes);
    if (!list)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_pretrained_create", "no memory for a list");
    (void)vdi_pretrained_declare(&net->desc, list, count);
    const vdi_status status = vdi_params_create(list, count, VDI_F32, a, rng, &net->params, err);
    vdi_free(a, list, bytes);
    return status;
}

VDI__DEF vdi_status vdi_pretrained_create_random(const vdi_pretrained_desc *desc,
                                                 const vdi_allocator *a, vdi_rng *rng,
                                                 vdi_pretrained **out, vdi_error *err) {
    vdi_rng plain = vdi_rng_make(0, 0);
    *out = NULL;
    vdi_status status = vdi_pretrained_desc_check(desc, err);
    if (status == VDI_OK) status = vdi_arithmetic_check(err);
    if (status < 0) return status;
    vdi_pretrained *net = (vdi_pretrained *)vdi_alloc(a, sizeof *net);
    if (!net) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_pretrained_create",
                             "no memory for a network");
    }
    memset(net, 0, sizeof *net);
    net->allocator = vdi_allocator_defaults(a);
    net->desc = vdi__pretrained_filled(desc);
    net->at = vdi__pretrained_place(&net->desc);
    status = vdi__pretrained_params_create(net, rng ? rng : &plain, err);
    if (status < 0) {
        vdi_pretrained_destroy(net);
        return status;
    }
    for (int m = 0; m < net->desc.members; m++) { /* few spikes to begin with, little spread */
        const vdi_param *last = &net->params->item[(m + 1) * net->at.count - 1];
        float *bias = (float *)last->value.data;
        bias[0] = bias[1] = -3;
        bias[4] = bias[5] = -1;
    }
    *out = net;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_pretrained_create(const vdi_pretrained_weights *w, const vdi_allocator *a,
                                          vdi_pretrained **out, vdi_error *err) {
    vdi_pretrained *net;
    *out = NULL;
    vdi_status status = vdi_pretrained_create_random(&w->desc, a, NULL, &net, err);
    if (status < 0) return status;
    const int64_t expected = vdi_pretrained_pack(net, NULL, NULL, NULL);
    if (w->count != expected) {
        vdi_pretrained_destroy(net);
        return vdi_error_set(err, VDI_ERR_FORMAT, "vdi_pretrained_create",
                             "%lld weights, expected %lld for their description",
                             (long long)w->count, (long long)expected);
    }
    const float *scale = w->scale;
    const int8_t *word = w->word;
    for (int64_t i = 0; i < net->params->count; i++) {
        const vdi_tensor v = net->params->item[i].value;
        const int64_t last = v.shape[v.ndim - 1], n = vdi_tensor_count(v);
        for (int64_t k = 0; k < n; k++)
            ((float *)v.data)[k] = scale[k % last] * (float)*word++;
        scale += last;
    }
    *out = net;
    return VDI_OK;
}

VDI__DEF void vdi_pretrained_destroy(vdi_pretrained *net) {
    if (!net) return;
    const vdi_allocator a = net->allocator;
    vdi_params_destroy(net->params);
    vdi_free(&a, net, sizeof *net);
}

VDI__DEF vdi_params *vdi_pretrained_params(vdi_pretrained *net) { return net->params; }
VDI__DEF const vdi_pretrained_desc *vdi_pretrained_desc_of(const vdi_pretrained *net) {
    return &net->desc;
}

VDI__DEF int64_t vdi_pretrained_pack(const vdi_pretrained *net, int64_t *scales, float *scale,
                                     int8_t *word) {
    int64_t count = 0, channels = 0;
    for (int64_t i = 0; i < net->params->count; i++) {
        const float *v = (const float *)net->params->item[i].value.data;
        const int64_t n = vdi_tensor_count(net->params->item[i].value);
        const int64_t last = net->params->item[i].value.shape[net->params->item[i].value.ndim - 1];
        for (int64_t c = 0; c < last; c++) {
            float most = 0;
            for (int64_t k = c; k < n; k += last)
                most = VDI__MAX(most, fabsf(v[k]));
            const float step = most > 0 ? most / 127 : 1;
            if (scale) scale[channels + c] = step;
            for (int64_t k = c; word && k < n; k += last)
                word[count + k] = (int8_t)nearbyintf(v[k] / step);
        }
        count += n;
        channels += last;
    }
    if (scales) *scales = channels;
    return count;
}

#if defined(VDI_PRETRAINED_WEIGHTS)
VDI__DEF const vdi_pretrained_weights *vdi_pretrained_weights_shipped(void) {
    return &vdi_pretrained_shipped;
}
#endif
#endif
