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
 * There are no objects and no hidden state: a layer is a description, a range of a parameter set,
 * and the operations of grad/. The declare functions return how many parameters they describe,
 * writing those that fit into `list` (which may be NULL, with a capacity of 0, to count).
 */
#ifndef VDI_GRAD_LAYERS_H
#define VDI_GRAD_LAYERS_H
#include "../core/field.h"
#include "matrix_ops.h"
#include "params.h"
#include "sequence_ops.h"

/** Most layers of a stack. */
#define VDI_LAYERS_MAX 16

/** A stack of affine layers. */
typedef struct vdi_mlp_desc {
    const char *name;                  /**< prefix of the parameters' names */
    int32_t layers;                    /**< how many, up to VDI_LAYERS_MAX */
    int64_t sizes[VDI_LAYERS_MAX + 1]; /**< inputs, hidden layers, outputs */
    vdi_act act, out_act;              /**< between the layers; after the last */
    double act_param;                  /**< slope of a leaky rectifier; 0 means 0.2 */
    vdi_init init;                     /**< of the weights; 0 is VDI_INIT_FAN_IN for weights and
                                            biases, else biases are 0 */
    double scale, out_scale;           /**< of the initialiser; 0 means 1. out_scale: the last
                                            layer's weights */
    bool layer_norm;                   /**< normalise before each activation between the layers */
} vdi_mlp_desc;
/** Its table, but for the sizes. */
VDI_API const vdi_fields *vdi_mlp_desc_fields(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_mlp_desc_check(const vdi_mlp_desc *desc, vdi_error *err);
/** Its parameters: weight (in,out) and bias (out) of each layer, with layer_norm gain and shift
 * (out) after them. */
VDI_API int64_t vdi_mlp_declare(const vdi_mlp_desc *d, vdi_param_desc *list, int64_t room);
/** x (..., sizes[0]) to (..., sizes[layers]); `first` is the first of its parameters. */
VDI_API vdi_var vdi_mlp_apply(vdi_tape *t, const vdi_mlp_desc *d, const vdi_param *first,
                              vdi_var x);

/** A stack of convolutions over time, "same" length. */
typedef struct vdi_conv_desc {
    const char *name;                     /**< prefix of the parameters' names */
    int32_t layers;                       /**< how many, up to VDI_LAYERS_MAX */
    int64_t channels[VDI_LAYERS_MAX + 1]; /**< of the input and of each layer */
    int64_t width[VDI_LAYERS_MAX];        /**< taps of a filter */
    int64_t dilation[VDI_LAYERS_MAX];     /**< frames from tap to tap; 0 means 1 */
    bool causal;                          /**< look at the past alone; else padded on both sides
                                               alike */
    vdi_act act, out_act;                 /**< between the layers; after the last */
    double act_param;                     /**< slope of the leaky rectifier; 0 means 0.2 */
    vdi_init init;                        /**< 0 is VDI_INIT_HE_NORMAL; biases are 0 */
} vdi_conv_desc;
/** Its table, but for channels, widths and dilations. */
VDI_API const vdi_fields *vdi_conv_desc_fields(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_conv_desc_check(const vdi_conv_desc *desc, vdi_error *err);
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
/** Its table. */
VDI_API const vdi_fields *vdi_gru_desc_fields(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_gru_desc_check(const vdi_gru_desc *desc, vdi_error *err);
/** Its parameters: weight_ih (I,3H), bias_ih (3H), weight_hh (H,3H), bias_hh (3H), uniform
 * on +-1/sqrt(H) as in PyTorch. */
VDI_API int64_t vdi_gru_declare(const vdi_gru_desc *d, vdi_param_desc *list, int64_t room);
/** x (T,B,I), h0 (B,H) or the null variable, to (T,B,H). */
VDI_API vdi_var vdi_gru_apply(vdi_tape *t, const vdi_gru_desc *d, const vdi_param *first, vdi_var x,
                              vdi_var h0);

#endif /* VDI_GRAD_LAYERS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_LAYERS_C)
#define VDI_GRAD_LAYERS_C

/* ======== the descriptions ==================================================================== */

/* Largest extent of a layer: no memory holds more, and products of two stay within int64. */
#define VDI__EXTENT_MAX 1e9

static const vdi_field vdi__mlp_desc_rows[] = {
    VDI_FIELD_INT32(vdi_mlp_desc, layers, 0, 1, VDI_LAYERS_MAX, "affine layers"),
    VDI_FIELD_ENUM(vdi_mlp_desc, act, vdi__act_words, "activation between the layers"),
    VDI_FIELD_ENUM(vdi_mlp_desc, out_act, vdi__act_words, "activation after the last layer"),
    VDI_FIELD_REAL(vdi_mlp_desc, act_param, 0, -1e9, 1e9, "slope of a leaky rectifier; 0: 0.2"),
    VDI_FIELD_ENUM(vdi_mlp_desc, init, vdi__init_words, "initialiser of the weights"),
    VDI_FIELD_REAL(vdi_mlp_desc, scale, 0, -1e9, 1e9, "scale of the initialiser; 0: 1"),
    VDI_FIELD_REAL(vdi_mlp_desc, out_scale, 0, -1e9, 1e9, "scale of the last layer; 0: as others"),
    VDI_FIELD_BOOL(vdi_mlp_desc, layer_norm, "normalise before each activation"),
};
static const vdi_fields vdi__mlp_desc_table = {"vdi_mlp_desc", vdi__mlp_desc_rows,
                                               (int)VDI__COUNT(vdi__mlp_desc_rows)};

static const vdi_field vdi__conv_desc_rows[] = {
    VDI_FIELD_INT32(vdi_conv_desc, layers, 0, 1, VDI_LAYERS_MAX, "convolutions"),
    VDI_FIELD_BOOL(vdi_conv_desc, causal, "look at the past alone"),
    VDI_FIELD_ENUM(vdi_conv_desc, act, vdi__act_words, "activation between the layers"),
    VDI_FIELD_ENUM(vdi_conv_desc, out_act, vdi__act_words, "activation after the last layer"),
    VDI_FIELD_REAL(vdi_conv_desc, act_param, 0, -1e9, 1e9, "slope of a leaky rectifier; 0: 0.2"),
    VDI_FIELD_ENUM(vdi_conv_desc, init, vdi__init_words, "initialiser; zeros: he_normal"),
};
static const vdi_fields vdi__conv_desc_table = {"vdi_conv_desc", vdi__conv_desc_rows,
                                                (int)VDI__COUNT(vdi__conv_desc_rows)};

static const vdi_field vdi__gru_desc_rows[] = {
    VDI_FIELD_INT(vdi_gru_desc, inputs, 0, 1, VDI__EXTENT_MAX, "inputs"),
    VDI_FIELD_INT(vdi_gru_desc, hidden, 0, 1, VDI__EXTENT_MAX, "units"),
    VDI_FIELD_BOOL(vdi_gru_desc, reverse, "from the last time to the first"),
};
static const vdi_fields vdi__gru_desc_table = {"vdi_gru_desc", vdi__gru_desc_rows,
                                               (int)VDI__COUNT(vdi__gru_desc_rows)};

VDI__DEF const vdi_fields *vdi_mlp_desc_fields(void) { return &vdi__mlp_desc_table; }
VDI__DEF const vdi_fields *vdi_conv_desc_fields(void) { return &vdi__conv_desc_table; }
VDI__DEF const vdi_fields *vdi_gru_desc_fields(void) { return &vdi__gru_desc_table; }

/* The first `count` entries of a list of extents. */
VDI__FN vdi_status vdi__extents_check(const char *where, const char *name, const int64_t *extent,
                                      int count, int64_t least, vdi_error *err) {
    for (int i = 0; i < count; i++) {
        if (extent[i] >= least && (double)extent[i] <= VDI__EXTENT_MAX) continue;
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%s[%d] is %lld: expected %lld to %lld",
                             name, i, (long long)extent[i], (long long)least,
                             (long long)VDI__EXTENT_MAX);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_mlp_desc_check(const vdi_mlp_desc *desc, vdi_error *err) {
    const char *where = vdi__mlp_desc_table.name;
    const vdi_status status = vdi_fields_check(&vdi__mlp_desc_table, desc, err);
    if (status < 0) return status;
    return vdi__extents_check(where, "sizes", desc->sizes, desc->layers + 1, 1, err);
}

VDI__DEF vdi_status vdi_conv_desc_check(const vdi_conv_desc *desc, vdi_error *err) {
    const char *where = vdi__conv_desc_table.name;
    const int n = desc->layers;
    vdi_status status = vdi_fields_check(&vdi__conv_desc_table, desc, err);
    if (status >= 0) status = vdi__extents_check(where, "channels", desc->channels, n + 1, 1, err);
    if (status >= 0) status = vdi__extents_check(where, "width", desc->width, n, 1, err);
    if (status >= 0) status = vdi__extents_check(where, "dilation", desc->dilation, n, 0, err);
    return status;
}

VDI__DEF vdi_status vdi_gru_desc_check(const vdi_gru_desc *desc, vdi_error *err) {
    return vdi_fields_check(&vdi__gru_desc_table, desc, err);
}

/* ======== parameters ========================================================================== */

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

/* ======== layers on a tape ==================================================================== */

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
