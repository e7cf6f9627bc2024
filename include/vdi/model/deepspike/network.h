/* model/deepspike/network.h - the recognition network: its parameters, and its output for a batch
 * on the tape
 *
 * Declares nothing; the recurrent unit that reads its own samples is in recurrent.h.
 */
#ifndef VDI_MODEL_DEEPSPIKE_NETWORK_H
#define VDI_MODEL_DEEPSPIKE_NETWORK_H
#include "deepspike.h"

#endif

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_NETWORK_C)
#define VDI_MODEL_DEEPSPIKE_NETWORK_C

/* Both recurrent units, and the read-out of the forward one. Returns how many. */
VDI__FN int64_t vdi__ds_declare_rnn(vdi_deepspike *m, vdi_param_desc *list, int64_t capacity) {
    const vdi_deepspike_desc *d = &m->desc;
    const int64_t streams = d->generative.streams;
    const int64_t known = d->features + streams + d->hidden;
    const int H = (int)d->hidden;
    int64_t n = 0;
    m->back.name = "back";
    m->back.inputs = d->features + streams;
    m->back.hidden = d->hidden;
    m->back.reverse = true;
    m->forward.name = "forward";
    m->forward.inputs = known;
    m->forward.hidden = d->hidden;
    n += vdi_gru_declare(&m->back, list + n, capacity - n);
    n += vdi_gru_declare(&m->forward, list + n, capacity - n);
    list[n] = vdi_param_2d("forward.weight_spike", VDI_INIT_FAN_IN, 0, 1, 3 * H);
    list[n++].fan_in = d->hidden;
    list[n++] = vdi_param_2d("out.weight", VDI_INIT_GLOROT_NORMAL, 0, known, 1);
    list[n++] = vdi_param_1d("out.bias", VDI_INIT_CONSTANT, d->bias, 1);
    list[n++] = vdi_param_2d("out.weight_state", VDI_INIT_GLOROT_NORMAL, 0, H, 1);
    return n;
}

VDI__FN void vdi__ds_declare(vdi_deepspike *m) {
    const vdi_deepspike_desc *d = &m->desc;
    const bool correlated = d->posterior == VDI_DEEPSPIKE_CORRELATED;
    const int64_t capacity = (int64_t)VDI__COUNT(m->list);
    const int64_t streams = d->generative.streams, R = d->upsample;
    int64_t n = 0;
    m->stack.name = "conv";
    m->stack.layers = d->layers;
    m->stack.act = m->stack.out_act = VDI_ACT_LEAKY_RELU;
    m->stack.channels[0] = streams;
    for (int i = 0; i < d->layers; i++) {
        m->stack.channels[i + 1] = d->channels[i];
        m->stack.width[i] = d->width[i];
    }
    m->head.name = "head";
    m->head.layers = 1;
    m->head.out_act = correlated ? VDI_ACT_LEAKY_RELU : VDI_ACT_NONE;
    m->head.channels[0] = d->channels[d->layers - 1];
    m->head.width[0] = d->head_width;
    m->head.channels[1] = correlated ? d->features * R : streams * R;
    m->head.init = correlated ? VDI_INIT_HE_NORMAL : VDI_INIT_GLOROT_NORMAL;
    n += vdi_conv_declare(&m->stack, m->list + n, capacity - n);
    m->head_at = n;
    n += vdi_conv_declare(&m->head, m->list + n, capacity - n);
    if (!correlated) {
        m->list[n - 1].init = VDI_INIT_CONSTANT;
        m->list[n - 1].scale = d->bias;
    }
    m->rnn = n;
    if (correlated) n += vdi__ds_declare_rnn(m, m->list + n, capacity - n);
    m->amplitude = n;
    if (d->amplitude) {
        m->list[n++] =
            vdi_param_2d("amplitude.weight", VDI_INIT_GLOROT_NORMAL, 0.1, m->head.channels[0], 2);
        m->list[n++] = vdi_param_1d("amplitude.bias", VDI_INIT_ZEROS, 0, 2);
    }
    m->items = n;
}

/* What the network says of a batch. Factorised: the log odds (B, T upsample, streams). Correlated:
   what is known before the samples are, input products (B, T upsample, 3H) of the forward unit and
   log odds (B, T upsample, 1) without its state. With amplitude: mean and softplus^{-1} of the
   deviation (B,2). */
typedef struct vdi__ds_graph {
    vdi_var odds, input, amplitude;
} vdi__ds_graph;

/* A network of one's own: its log odds, if they have the shape that they should have. */
VDI__FN vdi_var vdi__ds_own_odds(vdi_deepspike *m, vdi_tape *t, vdi_var x, const int64_t *trace) {
    const vdi_deepspike_network *own = &m->desc.network;
    const int64_t batch = vdi_var_dim(t, x, 0), streams = vdi_var_dim(t, x, 2);
    const int64_t bins = vdi_var_dim(t, x, 1) * m->desc.upsample;
    const vdi_var odds = own->odds(t, x, trace, own->user);
    if (!vdi_var_ok(odds)) return odds;
    if (vdi_var_ndim(t, odds) == 3 && vdi_var_dim(t, odds, 0) == batch &&
        vdi_var_dim(t, odds, 1) == bins && vdi_var_dim(t, odds, 2) == streams)
        return odds;
    return vdi_tape_fail(t, VDI_ERR_SHAPE, "vdi_deepspike_network",
                         "the log odds are not (%lld,%lld,%lld)", (long long)batch, (long long)bins,
                         (long long)streams);
}

/* Each bin of a frame sees the frame: (B,T,C) to (B,T R,C). */
VDI__FN vdi_var vdi__ds_repeat(vdi_tape *t, vdi_var x, int64_t R) {
    int64_t shape[4];
    if (R == 1) return x;
    shape[0] = vdi_var_dim(t, x, 0);
    shape[1] = vdi_var_dim(t, x, 1);
    shape[2] = 1;
    shape[3] = vdi_var_dim(t, x, 2);
    x = vdi_var_reshape(t, x, 4, shape);
    shape[2] = R;
    x = vdi_var_broadcast_to(t, x, 4, shape);
    shape[1] *= R;
    shape[2] = shape[3];
    return vdi_var_reshape(t, x, 3, shape);
}

/* From features y (B,T,F) and the trace x (B,T,C) of each bin to what the forward unit reads. */
VDI__FN void vdi__ds_recurrent(vdi_deepspike *m, vdi_tape *t, vdi_var y, vdi_var x,
                               vdi__ds_graph *g) {
    static const int swap[3] = {1, 0, 2};
    const vdi_param *rnn = m->params->item + m->rnn;
    vdi_var part[2];
    part[0] = y;
    part[1] = x;
    y = vdi_var_concat(t, part, 2, -1);
    vdi_var back =
        vdi_gru_apply(t, &m->back, rnn + VDI__DS_BACK, vdi_var_permute(t, y, swap), vdi_var_none());
    part[0] = y;
    part[1] = vdi_var_permute(t, back, swap);
    y = vdi_var_concat(t, part, 2, -1);
    g->input = vdi_var_affine(t, y, vdi_tape_param(t, rnn + VDI__DS_FORWARD),
                              vdi_tape_param(t, rnn + VDI__DS_FORWARD + 1), VDI_ACT_NONE, 0);
    g->odds = vdi_var_affine(t, y, vdi_tape_param(t, rnn + VDI__DS_OUT),
                             vdi_tape_param(t, rnn + VDI__DS_OUT_BIAS), VDI_ACT_NONE, 0);
}

VDI__FN vdi__ds_graph vdi__ds_network(vdi_deepspike *m, vdi_tape *t, vdi_var x,
                                      const int64_t *trace) {
    const vdi_deepspike_desc *d = &m->desc;
    const vdi_param *item = m->params->item;
    int64_t shape[3];
    vdi__ds_graph g;
    g.input = g.amplitude = vdi_var_none();
    if (d->network.odds) {
        g.odds = vdi__ds_own_odds(m, t, x, trace);
        return g;
    }
    vdi_var h = vdi_conv_apply(t, &m->stack, item, x);
    vdi_var y = vdi_conv_apply(t, &m->head, item + m->head_at, h);
    shape[0] = vdi_var_dim(t, x, 0);
    shape[1] = vdi_var_dim(t, x, 1) * d->upsample;
    shape[2] = m->head.channels[1] / d->upsample;
    y = vdi_var_reshape(t, y, 3, shape);
    if (d->amplitude) {
        g.amplitude = vdi_var_affine(t, vdi_var_mean_axis(t, h, 1, false),
                                     vdi_tape_param(t, item + m->amplitude),
                                     vdi_tape_param(t, item + m->amplitude + 1), VDI_ACT_NONE, 0);
    }
    if (d->posterior == VDI_DEEPSPIKE_FACTORISED)
        g.odds = y;
    else
        vdi__ds_recurrent(m, t, y, vdi__ds_repeat(t, x, d->upsample), &g);
    return g;
}
#endif
