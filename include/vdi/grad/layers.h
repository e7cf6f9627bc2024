/* grad/layers.h - layers as pairs of functions: one declares the parameters, one applies them
 *
 * Do this:
 *     vdi_mlp_desc net = VDI__ZERO;                  24 -> 256 -> 256 -> 4, ReLU between
 *     net.name = "actor";
 *     net.layers = 3;
 *     net.act = VDI_ACT_RELU;
 *     net.sizes[0] = 24;
 *     net.sizes[1] = net.sizes[2] = 256;
 *     net.sizes[3] = 4;
 *     vdi_param_desc list[16];
 *     int64_t n = vdi_mlp_declare(&net, list, 16);   "actor.0.weight", "actor.0.bias", ...
 *     ... vdi_params_create(list, n, ...) ...
 *     vdi_var y = vdi_mlp_apply(t, &net, &params->item[0], x);   its parameters begin at item 0
 *
 * No objects, no hidden state: a description, a stretch of a parameter set, and the operations of
 * grad/. The declare functions return how many parameters they describe, writing those that fit
 * into `list` (which may be NULL, with room 0, to count).
 */
#ifndef VDI_GRAD_LAYERS_H
#define VDI_GRAD_LAYERS_H
#include "matrix_ops.h"
#include "params.h"

/** Most layers of a stack. */
#define VDI_LAYERS_MAX 16

/** A stack of affine layers. */
typedef struct vdi_mlp_desc {
    const char *name;                  /**< prefix of the parameters' names */
    int32_t layers;                    /**< 1..VDI_LAYERS_MAX */
    int64_t sizes[VDI_LAYERS_MAX + 1]; /**< inputs, hidden layers, outputs */
    vdi_act act, out_act;              /**< between the layers; after the last */
    double act_param;                  /**< slope of a leaky rectifier; 0 means 0.2 */
    vdi_init init;                     /**< of the weights; 0 is VDI_INIT_FAN_IN for weights and
                                            biases, else biases are 0 */
    double scale, out_scale;           /**< of the initialiser; 0 means 1. out_scale: the last
                                            layer's weights */
    bool layer_norm;                   /**< normalise before each activation between the layers */
} vdi_mlp_desc;
/** Its parameters: weight (in,out) and bias (out) of each layer, with layer_norm gain and shift
 * (out) after them. */
VDI_API int64_t vdi_mlp_declare(const vdi_mlp_desc *d, vdi_param_desc *list, int64_t room);
/** x (..., sizes[0]) to (..., sizes[layers]); `first` is the first of its parameters. */
VDI_API vdi_var vdi_mlp_apply(vdi_tape *t, const vdi_mlp_desc *d, const vdi_param *first,
                              vdi_var x);

/** A stack of convolutions over time, "same" length. */
typedef struct vdi_conv_desc {
    const char *name;                     /**< prefix of the parameters' names */
    int32_t layers;                       /**< 1..VDI_LAYERS_MAX */
    int64_t channels[VDI_LAYERS_MAX + 1]; /**< of the input and of each layer */
    int64_t width[VDI_LAYERS_MAX];        /**< taps of a filter */
    int64_t dilation[VDI_LAYERS_MAX];     /**< frames from tap to tap; 0 means 1 */
    bool causal;                          /**< look at the past alone; else padded on both sides
                                               alike */
    vdi_act act, out_act;                 /**< between the layers; after the last */
    double act_param;                     /**< slope of the leaky rectifier; 0 means 0.2 */
    vdi_init init;                        /**< 0 is VDI_INIT_HE_NORMAL; biases are 0 */
} vdi_conv_desc;
/** Its parameters: weight (width,cin,cout) and bias (cout) of each layer. */
VDI_API int64_t vdi_conv_declare(const vdi_conv_desc *d, vdi_param_desc *list, int64_t room);
/** x (B,T,channels[0]) to (B,T,channels[layers]). */
VDI_API vdi_var vdi_conv_apply(vdi_tape *t, const vdi_conv_desc *d, const vdi_param *first,
                               vdi_var x);

/** A gated recurrent unit. */
typedef struct vdi_gru_desc {
    const char *name;       /**< prefix of the parameters' names */
    int64_t inputs, hidden; /**< I and H */
    bool reverse;           /**< from the last time to the first */
} vdi_gru_desc;
/** Its parameters: weight_ih (I,3H), bias_ih (3H), weight_hh (H,3H), bias_hh (3H), uniform
 * on +-1/sqrt(H) as in PyTorch. */
VDI_API int64_t vdi_gru_declare(const vdi_gru_desc *d, vdi_param_desc *list, int64_t room);
/** x (T,B,I), h0 (B,H) or the null variable, to (T,B,H). */
VDI_API vdi_var vdi_gru_apply(vdi_tape *t, const vdi_gru_desc *d, const vdi_param *first, vdi_var x,
                              vdi_var h0);

#endif /* VDI_GRAD_LAYERS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_LAYERS_C)
#define VDI_GRAD_LAYERS_C

/* A parameter called "<name>.<index>.<what>", or "<name>.<what>" for index -1. */
VDI__FN void vdi__declare(vdi_param_desc *list, int64_t room, int64_t *count, const char *name,
                          int index, const char *what, vdi_init init, double scale, int64_t fan_in,
                          int ndim, const int64_t *shape) {
    if (*count < room) {
        vdi_param_desc *d = &list[*count];
        memset(d, 0, sizeof *d);
        if (index >= 0) {
            (void)vdi_text_format(d->name, sizeof d->name, "%s.%d.%s", name ? name : "layer", index,
                                  what);
        } else {
            (void)vdi_text_format(d->name, sizeof d->name, "%s.%s", name ? name : "layer", what);
        }
        d->init = init;
        d->scale = scale;
        d->fan_in = fan_in;
        d->ndim = ndim;
        for (int i = 0; i < ndim; i++)
            d->shape[i] = shape[i];
    }
    ++*count;
}

VDI__DEF int64_t vdi_mlp_declare(const vdi_mlp_desc *d, vdi_param_desc *list, int64_t room) {
    int64_t n = 0;
    bool plain = d->init == VDI_INIT_ZEROS;
    for (int i = 0; i < d->layers && i < VDI_LAYERS_MAX; i++) {
        double scale = i + 1 == d->layers && d->out_scale != 0 ? d->out_scale : d->scale;
        vdi__declare(list, room, &n, d->name, i, "weight", plain ? VDI_INIT_FAN_IN : d->init, scale,
                     0, 2, &d->sizes[i]);
        vdi__declare(list, room, &n, d->name, i, "bias", plain ? VDI_INIT_FAN_IN : VDI_INIT_ZEROS,
                     scale, d->sizes[i], 1, &d->sizes[i + 1]);
        if (d->layer_norm && i + 1 < d->layers) {
            vdi__declare(list, room, &n, d->name, i, "gain", VDI_INIT_CONSTANT, 1, 0, 1,
                         &d->sizes[i + 1]);
            vdi__declare(list, room, &n, d->name, i, "shift", VDI_INIT_ZEROS, 0, 0, 1,
                         &d->sizes[i + 1]);
        }
    }
    return n;
}

VDI__DEF vdi_var vdi_mlp_apply(vdi_tape *t, const vdi_mlp_desc *d, const vdi_param *first,
                               vdi_var x) {
    for (int i = 0; i < d->layers && i < VDI_LAYERS_MAX; i++) {
        bool inner = i + 1 < d->layers, norm = d->layer_norm && inner;
        vdi_act act = inner ? d->act : d->out_act;
        vdi_var w = vdi_tape_param(t, first), b = vdi_tape_param(t, first + 1);
        if ((unsigned)act >= VDI__COUNT(vdi__act_unary)) {
            return vdi_tape_fail(t, VDI_ERR_ARGUMENT, "vdi_mlp_apply", "there is no activation %d",
                                 (int)act);
        }
        x = vdi_var_affine(t, x, w, b, norm ? VDI_ACT_NONE : act, d->act_param);
        first += 2;
        if (!norm) continue;
        x = vdi_var_layer_norm(t, x, vdi_tape_param(t, first), vdi_tape_param(t, first + 1), 0);
        if (act != VDI_ACT_NONE)
            x = vdi_var_unary(t, vdi__act_unary[act], vdi__act_param(act, d->act_param), x);
        first += 2;
    }
    return x;
}

VDI__DEF int64_t vdi_conv_declare(const vdi_conv_desc *d, vdi_param_desc *list, int64_t room) {
    int64_t n = 0, shape[3];
    for (int i = 0; i < d->layers && i < VDI_LAYERS_MAX; i++) {
        shape[0] = d->width[i];
        shape[1] = d->channels[i];
        shape[2] = d->channels[i + 1];
        vdi__declare(list, room, &n, d->name, i, "weight", d->init ? d->init : VDI_INIT_HE_NORMAL,
                     0, 0, 3, shape);
        vdi__declare(list, room, &n, d->name, i, "bias", VDI_INIT_ZEROS, 0, 0, 1, &shape[2]);
    }
    return n;
}

VDI__DEF vdi_var vdi_conv_apply(vdi_tape *t, const vdi_conv_desc *d, const vdi_param *first,
                                vdi_var x) {
    for (int i = 0; i < d->layers && i < VDI_LAYERS_MAX; i++, first += 2) {
        vdi_var w = vdi_tape_param(t, first), b = vdi_tape_param(t, first + 1);
        const int64_t step = d->dilation[i] ? d->dilation[i] : 1;
        x = vdi_var_conv1d_dilated(t, x, w, b, step, d->causal ? step * (d->width[i] - 1) : -1,
                                   i + 1 < d->layers ? d->act : d->out_act, d->act_param);
    }
    return x;
}

VDI__DEF int64_t vdi_gru_declare(const vdi_gru_desc *d, vdi_param_desc *list, int64_t room) {
    int64_t n = 0, shape[2];
    shape[0] = d->inputs;
    shape[1] = 3 * d->hidden;
    vdi__declare(list, room, &n, d->name, -1, "weight_ih", VDI_INIT_FAN_IN, 0, d->hidden, 2, shape);
    vdi__declare(list, room, &n, d->name, -1, "bias_ih", VDI_INIT_FAN_IN, 0, d->hidden, 1,
                 &shape[1]);
    shape[0] = d->hidden;
    vdi__declare(list, room, &n, d->name, -1, "weight_hh", VDI_INIT_FAN_IN, 0, d->hidden, 2, shape);
    vdi__declare(list, room, &n, d->name, -1, "bias_hh", VDI_INIT_FAN_IN, 0, d->hidden, 1,
                 &shape[1]);
    return n;
}

VDI__DEF vdi_var vdi_gru_apply(vdi_tape *t, const vdi_gru_desc *d, const vdi_param *first,
                               vdi_var x, vdi_var h0) {
    vdi_var xp = vdi_var_affine(t, x, vdi_tape_param(t, first), vdi_tape_param(t, first + 1),
                                VDI_ACT_NONE, 0);
    vdi_var w = vdi_tape_param(t, first + 2), b = vdi_tape_param(t, first + 3);
    return vdi_var_gru(t, xp, w, b, h0, d->reverse);
}
#endif
