/* model/sacd/critic.h - a critic whose value is split by reward component
 *
 *     Q(s,a) = sum_i w_i Q_i(s,a)
 *     y_i    = r_i + gamma (1-d) Q_i^{j*}(s',a'),     j* = argmin_j sum_i w_i Q_i^j(s',a')
 *
 * Do this:
 *     vdi_critic_desc desc = VDI__ZERO;
 *     desc.observations = 3;
 *     desc.actions = 1;
 *     desc.heads = 3;
 *     vdi_critic *critic;
 *     if (vdi_critic_create(&desc, &critic, &err) < 0) puts(err.message);
 *     vdi_critic_best(critic, VDI_CRITIC_TARGET, VDI_CRITIC_COMPOSITE, 256, next_obs, next_action,
 *                     NULL, bootstrap, NULL, NULL);
 *     ... y = reward + gamma (1 - done) bootstrap ...
 *     if (vdi_critic_fit(critic, 256, obs, action, y, NULL, NULL, &err) < 0) puts(err.message);
 *     vdi_critic_destroy(critic);
 *
 * Twins, each one trunk with `heads` linear outputs, and a slowly moving target copy of each. It is
 * independent of SAC: the caller computes the targets, and requests values, the smaller of the
 * twins, and gradients with respect to the action (examples/td3d.c puts it into TD3,
 * model/sacd/sacd.h into SAC). The minimum is over the composite, so that all components come from
 * one twin and the sum of the components' targets is the scalar target; the minimum head by head is
 * provided for comparison (MacGlashan et al. 2022, arXiv 2206.13901).
 * The loss of a twin, with the errors e_i = Q_i - y_i, is
 *     L = 1/heads sum_i mean e_i^2 + lambda mean (sum_i w_i e_i)^2
 * The first term is that of the paper; it does not include the sum that a policy maximises, whose
 * error is small only as far as the errors of the heads cancel. The second does: lambda is
 * composite_weight, and SAC's scalar critic is its limit lambda -> infinity.
 * Memory: all taken at create. Errors: a fit whose result is not finite fails and changes nothing;
 * observations and actions that are not finite give zeros and a status. Threads: desc.pool splits a
 * fit among threads; the bits do not depend on their number. One critic, one thread at a time. What
 * it does NOT do: other activations than ReLU, choices other than as one-hot actions, more than two
 * twins.
 */
#ifndef VDI_MODEL_SACD_CRITIC_H
#define VDI_MODEL_SACD_CRITIC_H
#include "../../core/field.h"
#include "../../grad/mlp.h"
#include "cagrad.h"

/** Most heads of a critic. */
#define VDI_CRITIC_HEADS VDI_CAGRAD_MOST

/** Which of the four nets. */
enum {
    VDI_CRITIC_FIRST = 0,  /**< the first twin */
    VDI_CRITIC_SECOND = 1, /**< the second twin */
    VDI_CRITIC_TARGET = 2  /**< added to one of them: its target copy; alone: both targets */
};
/** How the twins are combined. */
typedef enum vdi_critic_rule {
    VDI_CRITIC_COMPOSITE = 0, /**< all heads of the twin whose weighted sum is smaller */
    VDI_CRITIC_ELEMENTWISE /**< w_i Q_i from the twin where it is smaller: low by sqrt(heads) more
    */
} vdi_critic_rule;
/** How the gradients of the heads' losses are combined. */
typedef enum vdi_critic_gradient {
    VDI_CRITIC_MEAN = 0,     /**< "mean": their mean */
    VDI_CRITIC_CAGRAD,       /**< "cagrad": conflict-averse; costs a backward pass for each head */
    VDI_CRITIC_CAGRAD_HIDDEN /**< "cagrad-hidden": the conflict is measured at the last hidden layer
                                  instead of in the weights; costs about as much as the mean */
} vdi_critic_gradient;

/** Zero is the default of each field but the first three. */
typedef struct vdi_critic_desc {
    int64_t observations, actions, heads; /**< sizes */
    int layers;                           /**< hidden layers */
    int64_t hidden[VDI_MLP_LAYERS];       /**< units of each */
    int64_t batch;                        /**< most rows of a fit */
    double rate, beta1, beta2, eps;       /**< Adam's */
    double tau;                           /**< share of the net in its target at each fit */
    vdi_critic_gradient gradient;         /**< how the heads' gradients are combined */
    double cagrad_c;                      /**< 0 <= c < 1; */
    bool has_cagrad_c;                    /**< without it the default */
    double composite_weight;              /**< lambda >= 0 of the loss above */
    vdi_dtype dtype;                      /**< of all arrays; float32 or float64 */
    uint64_t seed;                        /**< of the first weights */
    vdi_pool *pool;                       /**< NULL: the caller alone */
    const vdi_allocator *allocator;       /**< NULL: malloc */
} vdi_critic_desc;

/** What a fit saw. */
typedef struct vdi_critic_stats {
    /** mean squared error of each head, mean of the twins, before the step */
    double loss[VDI_CRITIC_HEADS];
    double gradient; /**< Euclidean norm of the gradient of both twins */
} vdi_critic_stats;

/** A critic, made by vdi_critic_create. */
typedef struct vdi_critic vdi_critic;
/** The fields of a description: defaults, ranges and help. */
VDI_API const vdi_fields *vdi_critic_desc_fields(void);
/** The filled description (sizes left at 0). */
VDI_API vdi_critic_desc vdi_critic_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_critic_desc_check(const vdi_critic_desc *desc, vdi_error *err);
/** Make a critic; its targets begin as copies. */
VDI_API VDI_NODISCARD vdi_status vdi_critic_create(const vdi_critic_desc *desc, vdi_critic **out,
                                                   vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_critic_destroy(vdi_critic *c);
/** The description with its defaults filled in. */
VDI_API const vdi_critic_desc *vdi_critic_get_desc(const vdi_critic *c);

/** values (n,heads) of one net, `which` being VDI_CRITIC_FIRST or _SECOND, plus VDI_CRITIC_TARGET;
 *  obs (n,observations), action (n,actions). VDI_ERR_DATA, and zeros, where one of these is not
 *  finite; likewise the next three. */
VDI_API vdi_status vdi_critic_values(vdi_critic *c, int which, int64_t n, const void *obs,
                                     const void *action, void *values);
/** The smaller of the twins (of the targets with VDI_CRITIC_TARGET): values (n,heads), composite
 *  (n) = sum_i w_i values_i, and for the nets that are not targets d composite / d action
 *  (n,actions); each may be NULL. weights (heads), NULL: all 1. */
VDI_API vdi_status vdi_critic_best(vdi_critic *c, int which, vdi_critic_rule rule, int64_t n,
                                   const void *obs, const void *action, const double *weights,
                                   void *values, double *composite, void *action_grad);
/** Gradient of each head with respect to the action, out (n,heads,actions); `which` as in
 *  vdi_critic_values. */
VDI_API vdi_status vdi_critic_action_grad(vdi_critic *c, int which, int64_t n, const void *obs,
                                          const void *action, void *out);
/** Reward influence |w_i| |d Q_i / d a| of the first twin, influence (n,heads): how much each
 *  component says about the action. weights NULL: all 1. Divide by the row's sum for the relative
 *  influence. */
VDI_API vdi_status vdi_critic_influence(vdi_critic *c, int64_t n, const void *obs,
                                        const void *action, const double *weights,
                                        double *influence);

/** One step of both twins towards targets y (n,heads), n <= desc.batch, and of the target copies
 *  behind them. The loss is that above, summed over the twins; weights (heads) are its w, NULL: all
 *  1. VDI_ERR_NUMERIC if it is refused: nothing has changed then. */
VDI_API VDI_NODISCARD vdi_status vdi_critic_fit(vdi_critic *c, int64_t n, const void *obs,
                                                const void *action, const void *y,
                                                const double *weights, vdi_critic_stats *stats,
                                                vdi_error *err);
/** Conflict of the components: gram (heads,heads) = <g_i, g_j> of the gradients of the heads'
 *  losses at the last fit, `twin` 0 or 1, in all of a critic's parameters (heads meet in the trunk
 *  alone); of VDI_CRITIC_CAGRAD_HIDDEN in the outputs of the last hidden layer. Not of
 *  VDI_CRITIC_MEAN, since the mean never takes them one by one; with c = 0 the
 *  step is the mean's. VDI_ERR_STATE without a fit, or of a critic whose gradient is the mean. */
VDI_API vdi_status vdi_critic_gram(const vdi_critic *c, int twin, double *gram, vdi_error *err);
/** Fits made. */
VDI_API int64_t vdi_critic_fits(const vdi_critic *c);
/** Another learning rate from here on. VDI_ERR_ARGUMENT if it is out of the field's range. */
VDI_API vdi_status vdi_critic_set_rate(vdi_critic *c, double rate, vdi_error *err);
/** The weights by name; with `training` targets, Adam's memory and the count too: with them a run
 *  goes on to the bit. */
VDI_API const vdi_state *vdi_critic_state(vdi_critic *c, bool training);

/** The twins' minimum of arrays: q0, q1 (n,heads) of dtype; values (n,heads), composite (n), from
 *  (n,heads) the twin of each; each of these three may be NULL. weights (heads) or NULL. */
VDI_API void vdi_critic_minimum(vdi_dtype dtype, vdi_critic_rule rule, int64_t n, int64_t heads,
                                const double *weights, const void *q0, const void *q1, void *values,
                                double *composite, unsigned char *from);

#endif /* VDI_MODEL_SACD_CRITIC_H */

/* ---- private: what a critic is made of; values.h and fit.h have the rest of its code --------- */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_CRITIC_C)
#define VDI_MODEL_SACD_CRITIC_C

/* Scratch of one worker, for `chunk` rows. */
typedef struct vdi__critic_space {
    void *x;                      /* (chunk, inputs) */
    void *h[2][VDI__MLP_LAYERS];  /* activations of the twins */
    void *dz[VDI__MLP_LAYERS];    /* cotangents of one of them */
    void *slope;                  /* (width of the trunk) sum_i w_i W_i; then w (heads) */
    void *da;                     /* (chunk, actions) */
    void *whole[VDI__MLP_LAYERS]; /* (batch, width) cotangents of one head, for CAGrad */
    int64_t *row;                 /* (chunk) */
    unsigned char *from;          /* (chunk, heads) */
} vdi__critic_space;

struct vdi__critic_kind;

struct vdi_critic {
    vdi_critic_desc desc;
    const struct vdi__critic_kind *kind; /* how gradients are combined */
    vdi_allocator allocator;
    vdi_arena arena;
    vdi__mlp net;
    vdi__learner twin[2];
    int64_t fits;
    int64_t chunk;            /* rows of a job */
    void *x;                  /* (batch, inputs): obs, action */
    void *y;                  /* (batch, heads) */
    void *error[2];           /* (batch, heads) of each twin: 2 share / batch (Q_i - y_i) */
    vdi__critic_space *space; /* of each worker */
    int workers;
    void *part[2];            /* (heads, trunk) gradients of the heads' losses, for CAGrad */
    double *gram[2], *mix[2]; /* (heads,heads), (heads) */
    vdi_state state;
    vdi_named_tensor *tensor;
    char (*name)[VDI_PARAM_NAME];
    bool suspect; /* somebody may have written to the state */
};

/* A fit under way, as its jobs see it. */
typedef struct vdi__critic_jobs {
    vdi_critic *c;
    size_t batch;
    int64_t chunks;
    const double *weights; /* (heads) of the composite, or NULL */
    vdi__adam adam;
} vdi__critic_jobs;

/* How the gradients of the heads' losses are combined: a row of vdi__critic_kinds in fit.h. */
typedef struct vdi__critic_kind {
    bool shared; /* each head's loss counts 1/heads from the beginning */
    /* Memory of its own; NULL: none. */
    bool (*reserve)(vdi_critic *c);
    /* After the errors of rows at ... at+n of one twin; NULL: nothing. */
    void (*rows)(const vdi__critic_jobs *u, int twin, size_t at, size_t n);
    /* When the errors of all rows are there; NULL: nothing. */
    void (*combine)(vdi__critic_jobs *u);
} vdi__critic_kind;

VDI__FN const vdi__critic_kind *vdi__critic_kind_of(vdi_critic_gradient gradient);

/* ---- description --------------------------------------------------------------------------- */

static const char *const vdi__critic_gradients[] = {"mean", "cagrad", "cagrad-hidden", NULL};
static const char *const vdi__critic_dtypes[] = {"float32", "float64", NULL};

enum { VDI__CRITIC_MOST = 1 << 20 }; /* inputs and units */

static const vdi_field vdi__critic_table[] = {
    VDI_FIELD_INT_FLAGS(vdi_critic_desc, observations, 0, 1, VDI__CRITIC_MOST, VDI_FIELD_REQUIRED,
                        "numbers in an observation"),
    VDI_FIELD_INT_FLAGS(vdi_critic_desc, actions, 0, 1, VDI__CRITIC_MOST, VDI_FIELD_REQUIRED,
                        "numbers in an action"),
    VDI_FIELD_INT_FLAGS(vdi_critic_desc, heads, 0, 1, VDI_CRITIC_HEADS, VDI_FIELD_REQUIRED,
                        "values that sum to the composite"),
    VDI_FIELD_SIZES(vdi_critic_desc, hidden, layers, VDI_FIELD_NONE, VDI_MLP_LAYERS, 2, 256, 1,
                    VDI__CRITIC_MOST, "units of the hidden layers"),
    VDI_FIELD_INT(vdi_critic_desc, batch, 256, 1, 1000000, "most rows of a fit"),
    VDI_FIELD_REAL_FLAGS(vdi_critic_desc, rate, 3e-4, 0, 1e6, VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                         "Adam's rate"),
    VDI_FIELD_REAL_FLAGS(vdi_critic_desc, beta1, 0.9, 0, 1, VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                         "Adam's decay of the mean of gradients"),
    VDI_FIELD_REAL_FLAGS(vdi_critic_desc, beta2, 0.999, 0, 1, VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                         "Adam's decay of the mean of their squares"),
    VDI_FIELD_REAL_FLAGS(vdi_critic_desc, eps, 1e-8, 1e-30, 1e18, VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                         "added to Adam's root mean square"),
    VDI_FIELD_REAL_FLAGS(vdi_critic_desc, tau, 0.005, 0, 1, VDI_FIELD_ABOVE,
                         "share of the net in its target at each fit"),
    VDI_FIELD_ENUM(vdi_critic_desc, gradient, vdi__critic_gradients,
                   "how the heads' gradients are combined"),
    VDI_FIELD_REAL_TWIN(vdi_critic_desc, cagrad_c, has_cagrad_c, 0.5, 0, 1, VDI_FIELD_BELOW,
                        "how far CAGrad may leave the mean gradient, as a share of it"),
    VDI_FIELD_REAL(vdi_critic_desc, composite_weight, 0, 0, 1e6,
                   "weight of the squared error of the composite in the loss"),
    VDI_FIELD_ENUM(vdi_critic_desc, dtype, vdi__critic_dtypes, "type of all arrays"),
    VDI_FIELD_SEED(vdi_critic_desc, seed, "seed of the first weights"),
};
static const vdi_fields vdi__critic_fields = {"vdi_critic_desc", vdi__critic_table,
                                              (int)VDI__COUNT(vdi__critic_table)};

VDI__DEF const vdi_fields *vdi_critic_desc_fields(void) { return &vdi__critic_fields; }

VDI__FN vdi_critic_desc vdi__critic_filled(const vdi_critic_desc *desc) {
    vdi_critic_desc d = *desc;
    vdi_fields_fill(&vdi__critic_fields, &d);
    return d;
}

VDI__DEF vdi_critic_desc vdi_critic_desc_defaults(void) {
    const vdi_critic_desc zero = VDI__ZERO;
    return vdi__critic_filled(&zero);
}

VDI__DEF vdi_status vdi_critic_desc_check(const vdi_critic_desc *desc, vdi_error *err) {
    const vdi_critic_desc d = vdi__critic_filled(desc);
    vdi_status status = vdi_fields_check(&vdi__critic_fields, &d, err);
    if (status >= 0 && !vdi__adam_safe(d.rate, d.beta1, d.beta2)) {
        status = vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_critic_desc",
                               "beta1 is %g: expected its square to be below beta2, %g", d.beta1,
                               d.beta2);
    }
    return status;
}

/* ---- memory -------------------------------------------------------------------------------- */

VDI__FN bool vdi__critic_space_init(vdi_critic *c, vdi__critic_space *s) {
    const vdi__mlp *n = &c->net;
    const vdi_dtype t = n->dtype;
    const size_t rows = (size_t)c->chunk, heads = (size_t)c->desc.heads;
    bool ok = true;
    s->x = vdi__mlp_array(&c->arena, t, rows, n->width[0]);
    s->da = vdi__mlp_array(&c->arena, t, rows, (size_t)c->desc.actions);
    s->slope = vdi__mlp_array(&c->arena, t, n->width[n->layers - 1] + heads, 1);
    s->row = (int64_t *)vdi_arena_calloc(&c->arena, rows * sizeof *s->row);
    s->from = (unsigned char *)vdi_arena_calloc(&c->arena, rows * heads);
    for (int l = 0; l < n->layers; l++) {
        for (int j = 0; j < 2; j++) {
            s->h[j][l] = vdi__mlp_array(&c->arena, t, rows, n->width[l + 1]);
            ok = ok && s->h[j][l];
        }
        s->dz[l] = vdi__mlp_array(&c->arena, t, rows, n->width[l + 1]);
        ok = ok && s->dz[l];
    }
    return ok && s->x && s->da && s->slope && s->row && s->from;
}

/* Rows of a job: all of a batch for one thread; a quarter where there are more, since threads
   rarely run evenly. */
VDI__FN int64_t vdi__critic_chunk(int64_t batch, int threads) {
    const int64_t jobs = threads > 1 ? 2 * (int64_t)threads : 1;
    const int64_t rows = ((batch + jobs - 1) / jobs + 7) / 8 * 8;
    return VDI__MIN(VDI__MAX(VDI__MIN(rows, 256), 8), VDI__MAX(batch, 1));
}

/* Everything but the twins' own blocks. */
VDI__FN bool vdi__critic_reserve(vdi_critic *c) {
    const vdi_dtype t = c->net.dtype;
    const size_t batch = (size_t)c->desc.batch, heads = (size_t)c->desc.heads;
    const size_t names = (size_t)c->net.layers * 2 * 8 + 1;
    c->x = vdi__mlp_array(&c->arena, t, batch, c->net.width[0]);
    c->y = vdi__mlp_array(&c->arena, t, batch, heads);
    c->space =
        (vdi__critic_space *)vdi_arena_calloc(&c->arena, (size_t)c->workers * sizeof *c->space);
    c->tensor = (vdi_named_tensor *)vdi_arena_calloc(&c->arena, names * sizeof *c->tensor);
    c->name = (char(*)[VDI_PARAM_NAME])vdi_arena_calloc(&c->arena, names * sizeof *c->name);
    bool ok = c->x && c->y && c->space && c->tensor && c->name;
    for (int i = 0; ok && i < c->workers; i++)
        ok = vdi__critic_space_init(c, &c->space[i]);
    return ok && (!c->kind->reserve || c->kind->reserve(c));
}

VDI__FN bool vdi__critic_twin_init(vdi_critic *c, int j) {
    vdi__learner *e = &c->twin[j];
    const size_t batch = (size_t)c->desc.batch;
    c->error[j] = vdi__mlp_array(&c->arena, c->net.dtype, batch, (size_t)c->desc.heads);
    if (!c->error[j] || !vdi__learner_init(e, &c->net, &c->arena, batch, true)) return false;
    e->x = c->x;
    e->ldx = c->net.width[0];
    vdi_rng rng = vdi_rng_make(c->desc.seed, (uint64_t)1 << 56 | (uint64_t)(j + 1));
    vdi__mlp_draw(&c->net, e->value, &rng, 1);
    memcpy(e->target, e->value, c->net.total * vdi_dtype_size(c->net.dtype));
    return true;
}

VDI__DEF vdi_status vdi_critic_create(const vdi_critic_desc *desc, vdi_critic **out,
                                      vdi_error *err) {
    static const char where[] = "vdi_critic_create";
    *out = NULL;
    vdi_status status = vdi_critic_desc_check(desc, err);
    if (status == VDI_OK) status = vdi_arithmetic_check(err);
    if (status < 0) return status;
    vdi_critic *c = (vdi_critic *)vdi_alloc(desc->allocator, sizeof *c);
    if (!c) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    memset(c, 0, sizeof *c);
    c->desc = vdi__critic_filled(desc);
    c->kind = vdi__critic_kind_of(c->desc.gradient);
    c->allocator = vdi_allocator_defaults(desc->allocator);
    c->desc.allocator = NULL;
    vdi_arena_init(&c->arena, &c->allocator, (size_t)1 << 20);
    vdi__mlp_init(&c->net, c->desc.dtype, c->desc.observations + c->desc.actions, c->desc.layers,
                  c->desc.hidden, c->desc.heads);
    c->workers = vdi_pool_threads(c->desc.pool);
    c->chunk = vdi__critic_chunk(c->desc.batch, c->workers);
    bool ok = vdi__critic_reserve(c);
    for (int j = 0; ok && j < 2; j++)
        ok = vdi__critic_twin_init(c, j);
    if (!ok) {
        vdi_critic_destroy(c);
        return vdi_error_set(err, VDI_ERR_MEMORY, where,
                             "no memory for two critics and a batch of %lld",
                             (long long)desc->batch);
    }
    *out = c;
    return VDI_OK;
}

VDI__DEF void vdi_critic_destroy(vdi_critic *c) {
    if (!c) return;
    vdi_allocator a = c->allocator;
    vdi_arena_free(&c->arena);
    vdi_free(&a, c, sizeof *c);
}

VDI__DEF const vdi_critic_desc *vdi_critic_get_desc(const vdi_critic *c) { return &c->desc; }
VDI__DEF int64_t vdi_critic_fits(const vdi_critic *c) { return c->fits; }

VDI__DEF vdi_status vdi_critic_set_rate(vdi_critic *c, double rate, vdi_error *err) {
    vdi_critic_desc d = c->desc;
    d.rate = rate == 0 ? -1 : rate; /* zero is no default here */
    vdi_status status = vdi_critic_desc_check(&d, err);
    if (status >= 0) c->desc.rate = rate;
    return status;
}

/* ---- state --------------------------------------------------------------------------------- */

VDI__DEF const vdi_state *vdi_critic_state(vdi_critic *c, bool training) {
    static const char *const prefix[2][4] = {{"critic0", "target0", "critic0.m", "critic0.v"},
                                             {"critic1", "target1", "critic1.m", "critic1.v"}};
    int64_t count = 0;
    c->suspect = true;
    c->state.tensors = c->tensor;
    for (int kind = 0; kind < (training ? 4 : 1); kind++) {
        for (int j = 0; j < 2; j++) {
            const vdi__learner *e = &c->twin[j];
            const void *block[4];
            block[0] = e->value;
            block[1] = e->target;
            block[2] = e->m;
            block[3] = e->v;
            vdi__mlp_state(&c->net, block[kind], prefix[j][kind], c->tensor, c->name, &count);
        }
    }
    if (training) {
        c->tensor[count].name = "critic.fits";
        c->tensor[count++].tensor = vdi_tensor_1d(&c->fits, VDI_I64, 1);
    }
    c->state.tensor_count = count;
    return &c->state;
}

VDI__FN vdi_status vdi__critic_valid(vdi_critic *c, const char *where, vdi_error *err) {
    for (int j = 0; c->suspect && j < 2; j++) {
        if (vdi__learner_valid(&c->twin[j]) && c->fits >= 0) continue;
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "the state of twin %d holds numbers that are not finite", j);
    }
    c->suspect = false;
    return VDI_OK;
}
#endif
