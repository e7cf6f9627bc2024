/* grad/custom.h - an operation of your own, with its own backward, on the tape
 *
 * Do this: y = x^3, written by hand
 *     static vdi_status cube(vdi_custom *c, void *user, vdi_error *err) {
 *         const double *x = (const double *)c->in[0].data;
 *         double *out = (double *)c->out[0].data;
 *         for (int64_t i = 0; i < vdi_tensor_count(c->in[0]); i++) out[i] = x[i] * x[i] * x[i];
 *         return VDI_OK;
 *     }
 *     static vdi_status cube_back(vdi_custom *c, void *user, vdi_error *err) {
 *         const double *x = (const double *)c->in[0].data, *d = (const double *)c->dout[0].data;
 *         double *dx = (double *)c->din[0].data;                           backward ADDS
 *         for (int64_t i = 0; i < vdi_tensor_count(c->in[0]); i++) dx[i] += 3 * x[i] * x[i] * d[i];
 *         return VDI_OK;
 *     }
 *
 *     vdi_tensor shape = vdi_tape_value(t, x);
 *     shape.data = NULL;                                                  the tape gives the memory
 *     vdi_custom_desc d = vdi_custom_desc_defaults();
 *     d.name = "cube", d.inputs = 1, d.input = &x, d.outputs = 1, d.output = &shape;
 *     d.forward = cube, d.backward = cube_back;
 *     if (vdi_var_custom(t, &d, &y) < 0) puts("the tape says why");
 *
 * Up to eight inputs and outputs, memory that is kept from forward to backward, and scratch memory
 * (vdi_tape_scratch). Gradients go where c->din has a tensor; a cotangent that never came is the
 * null tensor, and zero.
 * Errors: a callback's negative status becomes the tape's error. Threads: those of the tape.
 */
#ifndef VDI_GRAD_CUSTOM_H
#define VDI_GRAD_CUSTOM_H
#include "tape.h"

/** Most inputs and outputs of a user-defined operation. */
#define VDI_CUSTOM_MAX 8
/** What the callbacks of a user-defined operation see. */
typedef struct vdi_custom {
    vdi_tape *tape;                  /**< for vdi_tape_scratch */
    int inputs, outputs;             /**< how many of the following count */
    vdi_tensor in[VDI_CUSTOM_MAX];   /**< values of the inputs, packed */
    vdi_tensor out[VDI_CUSTOM_MAX];  /**< values of the outputs, packed: forward fills them */
    vdi_tensor din[VDI_CUSTOM_MAX];  /**< backward ADDS here; the null tensor where no gradient is
                                          wanted */
    vdi_tensor dout[VDI_CUSTOM_MAX]; /**< cotangents of the outputs; the null tensor where none came
                                          (it is zero) */
    void *saved;                     /**< saved_bytes of the tape's memory, kept from forward to
                                          backward */
} vdi_custom;
/** Computes outputs or adds gradients. A negative status becomes the tape's error; `err` is there
 * for its message. */
typedef vdi_status (*vdi_custom_fn)(vdi_custom *c, void *user, vdi_error *err);
/** A user-defined operation. */
typedef struct vdi_custom_desc {
    const char *name;         /**< for messages */
    int inputs, outputs;      /**< how many; up to VDI_CUSTOM_MAX */
    const vdi_var *input;     /**< (inputs) */
    const vdi_tensor *output; /**< shapes and dtypes; with data they are taken as computed (and
                                   referenced until reset), else room is made */
    size_t saved_bytes;       /**< memory from forward to backward */
    size_t scratch_bytes;     /**< the most that a callback takes by vdi_tape_scratch: what a
                                   measuring tape counts */
    vdi_custom_fn forward;    /**< NULL if the outputs hold their values already. Not called on a
                                   measuring tape */
    vdi_custom_fn backward;   /**< NULL: no gradient flows */
    void *user;               /**< handed to the callbacks */
} vdi_custom_desc;
/** Its table: the fields that are numbers. */
VDI_API const vdi_fields *vdi_custom_desc_fields(void);
/** A description of one output; the rest is up to you. */
VDI_API vdi_custom_desc vdi_custom_desc_defaults(void);
/** VDI_OK, or which field is out of range, or missing. */
VDI_API vdi_status vdi_custom_desc_check(const vdi_custom_desc *desc, vdi_error *err);
/** Put a user-defined operation on the tape: out[0..outputs) become its variables (null ones after
 * an error). */
VDI_API vdi_status vdi_var_custom(vdi_tape *t, const vdi_custom_desc *desc, vdi_var *out);

#endif /* VDI_GRAD_CUSTOM_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_CUSTOM_C)
#define VDI_GRAD_CUSTOM_C

/* Outputs are nodes of their own behind one hub node that knows the inputs. An output that gets a
 * gradient wakes the hub, which stands before all outputs on the tape and so runs after them. */

typedef struct vdi__custom_node {
    vdi_custom_desc desc;
    vdi__node *in[VDI_CUSTOM_MAX], *out[VDI_CUSTOM_MAX];
    vdi_custom c;
} vdi__custom_node;

VDI__FN vdi_status vdi__custom_measure(vdi_tape *t, const vdi__custom_node *u) {
    vdi__tape_count(t, u->desc.scratch_bytes);
    return VDI_OK;
}

VDI__FN void vdi__custom_back(vdi_tape *t, vdi__node *hub) {
    vdi__custom_node *u = (vdi__custom_node *)hub->extra;
    vdi_error err;
    for (int i = 0; i < u->desc.inputs; i++) {
        void *g = vdi__wants(u->in[i]) ? vdi__grad_zeroed(t, u->in[i]) : NULL;
        u->c.din[i] = g ? vdi__node_tensor(t, u->in[i], g) : vdi__tensor_null();
    }
    for (int i = 0; i < u->desc.outputs; i++) {
        u->c.dout[i] = u->out[i]->pass == t->pass ? vdi__node_tensor(t, u->out[i], u->out[i]->grad)
                                                  : vdi__tensor_null();
    }
    if (t->status < 0) return;
    vdi__tape_mark m = vdi__scratch_begin(t);
    (void)vdi_text_copy(err.message, sizeof err.message, "the backward callback failed");
    vdi_status status =
        t->measure ? vdi__custom_measure(t, u) : u->desc.backward(&u->c, u->desc.user, &err);
    vdi__scratch_end(t, m);
    if (status < 0) {
        (void)vdi_tape_fail(t, status, u->desc.name ? u->desc.name : "vdi_var_custom", "%s",
                            err.message);
    }
}

static const vdi_field vdi__custom_rows[] = {
    VDI_FIELD_INT32(vdi_custom_desc, inputs, 0, 0, VDI_CUSTOM_MAX, "inputs of the operation"),
    VDI_FIELD_INT32(vdi_custom_desc, outputs, 1, 1, VDI_CUSTOM_MAX, "outputs of the operation"),
};
static const vdi_fields vdi__custom_table = {"vdi_custom_desc", vdi__custom_rows,
                                             (int)VDI__COUNT(vdi__custom_rows)};

VDI__DEF const vdi_fields *vdi_custom_desc_fields(void) { return &vdi__custom_table; }

VDI__DEF vdi_custom_desc vdi_custom_desc_defaults(void) {
    vdi_custom_desc d = VDI__ZERO;
    vdi_fields_fill(&vdi__custom_table, &d);
    return d;
}

VDI__DEF vdi_status vdi_custom_desc_check(const vdi_custom_desc *desc, vdi_error *err) {
    vdi_custom_desc d = *desc;
    vdi_fields_fill(&vdi__custom_table, &d);
    const vdi_status status = vdi_fields_check(&vdi__custom_table, &d, err);
    if (status < 0) return status;
    if ((d.inputs > 0 && !d.input) || !d.output) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_custom_desc", "%s is NULL",
                             d.output ? "input" : "output");
    }
    return VDI_OK;
}

/* The variables of the inputs; their flags together, or 0 with an error. */
VDI__FN unsigned vdi__custom_take(vdi_tape *t, const char *where, vdi__custom_node *u) {
    unsigned flags = 0;
    for (int i = 0; i < u->desc.inputs; i++) {
        u->in[i] = vdi__arg(t, u->desc.input[i], where);
        if (!u->in[i]) return 0;
        u->c.in[i] = vdi__node_tensor(t, u->in[i], u->in[i]->value);
        flags |= u->in[i]->flags;
    }
    return u->desc.backward ? flags : 0;
}

/* Output number i as a node behind the hub; the null variable with an error. */
VDI__FN vdi_var vdi__custom_give(vdi_tape *t, const char *where, vdi__node *hub, int i) {
    vdi__custom_node *u = (vdi__custom_node *)hub->extra;
    const vdi_tensor want = u->desc.output[i];
    const bool given = want.data != NULL;
    if (!vdi_tensor_ok(want) || !vdi_dtype_is_real(want.dtype) ||
        (given && !vdi_tensor_is_contiguous(want))) {
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where,
                             "output %d is not packed float32 or float64", i);
    }
    vdi__node *n = vdi__node_shaped(t, where, want.dtype, want.ndim, want.shape, !given);
    if (!n) return vdi_var_none();
    if (given && !t->measure) n->value = want.data;
    n->in[0] = hub;
    u->out[i] = n;
    u->c.out[i] = vdi__node_tensor(t, n, n->value);
    u->c.din[i] = u->c.dout[i] = vdi__tensor_null();
    return vdi__node_link(t, n, hub->flags, vdi__wake_back);
}

VDI__FN void vdi__custom_forward(vdi_tape *t, const char *where, vdi__custom_node *u) {
    vdi_error err;
    vdi__tape_mark m = vdi__scratch_begin(t);
    (void)vdi_text_copy(err.message, sizeof err.message, "the forward callback failed");
    const vdi_status status =
        t->measure ? vdi__custom_measure(t, u) : u->desc.forward(&u->c, u->desc.user, &err);
    vdi__scratch_end(t, m);
    if (status < 0) (void)vdi_tape_fail(t, status, where, "%s", err.message);
}

/* The hub with all that it knows of its inputs, or NULL with an error. */
VDI__FN vdi__node *vdi__custom_hub(vdi_tape *t, const char *where, const vdi_custom_desc *desc) {
    vdi__node scalar;
    scalar.count = 0;
    scalar.shape = NULL;
    scalar.dtype = VDI_F32;
    scalar.ndim = 0;
    vdi__node *hub = vdi__node_like(t, where, &scalar, false);
    vdi__custom_node *u = hub ? (vdi__custom_node *)vdi__tape_payload(t, where, sizeof *u) : NULL;
    if (!u) return NULL;
    memset(u, 0, sizeof *u);
    u->desc = *desc;
    u->c.tape = t;
    u->c.inputs = desc->inputs;
    u->c.outputs = desc->outputs;
    hub->flags = VDI__NODE_HUB;
    hub->extra = u;
    const unsigned flags = vdi__custom_take(t, where, u);
    if (t->status < 0) return NULL;
    u->c.saved = vdi__tape_data(t, where, desc->saved_bytes);
    if (!u->c.saved) return NULL;
    (void)vdi__node_link(t, hub, flags, vdi__custom_back);
    return hub;
}

VDI__DEF vdi_status vdi_var_custom(vdi_tape *t, const vdi_custom_desc *desc, vdi_var *out) {
    const char *where = desc->name ? desc->name : "vdi_var_custom";
    vdi_error err;
    vdi_custom_desc d = *desc;
    vdi_fields_fill(&vdi__custom_table, &d);
    for (int i = 0; i < d.outputs && i < VDI_CUSTOM_MAX; i++)
        out[i] = vdi_var_none();
    if (t->status < 0) return t->status;
    if (vdi_custom_desc_check(&d, &err) < 0) {
        (void)vdi_tape_fail(t, err.status, where, "%s", err.message);
        return t->status;
    }
    vdi__node *hub = vdi__custom_hub(t, where, &d);
    for (int i = 0; i < d.outputs && t->status >= 0; i++)
        out[i] = vdi__custom_give(t, where, hub, i);
    if (t->status >= 0 && d.forward) vdi__custom_forward(t, where, (vdi__custom_node *)hub->extra);
    if (t->status < 0) {
        for (int i = 0; i < d.outputs; i++)
            out[i] = vdi_var_none();
    }
    return t->status;
}
#endif
