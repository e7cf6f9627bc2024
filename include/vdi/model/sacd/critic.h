/* model/sacd/critic.h - a critic whose value is split by reward component
 *
 *     Q(s,a) = sum_i w_i Q_i(s,a),     y_i = r_i + gamma (1-d) Q_i^{j*}(s',a'),
 *     j* = argmin_j sum_i w_i Q_i^j(s',a')
 *
 * Do this:
 *     vdi_critic_desc desc = VDI__ZERO;
 *     desc.observations = 3;
 *     desc.actions = 1;
 *     desc.heads = 3;
 *     vdi_critic *critic;
 *     if (vdi_critic_create(&desc, &critic, &err) < 0) puts(err.message);
 *     vdi_critic_best(critic, VDI_CRITIC_TARGET, VDI_CRITIC_COMPOSITE, 256, next_obs, next_action,
 *         NULL, bootstrap, NULL, NULL);
 *     ... y = reward + gamma (1 - done) bootstrap ...
 *     if (vdi_critic_fit(critic, 256, obs, action, y, NULL, &err) < 0) puts(err.message);
 *     vdi_critic_destroy(critic);
 *
 * Twins, each one trunk with `heads` linear outputs, and a slowly moving target copy of each. It
 * does not know SAC: the caller makes the targets, and asks for values, for the smaller of the
 * twins, and for gradients with respect to the action (examples/td3d.c puts it into TD3,
 * model/sacd/sacd.h into SAC). The minimum is over the composite, so that all components come from
 * one twin and the sum of the components' targets is the scalar target; the minimum head by head is
 * there to be compared with (MacGlashan et al. 2022, arXiv 2206.13901). Memory: all taken at
 * create. Errors: a fit that would leave the finite numbers is refused and changes nothing.
 * Threads: desc.pool shares out the work; the number of threads does not show in the bits. What it
 * does NOT do: other activations than ReLU, discrete actions, more than two twins.
 */
#ifndef VDI_MODEL_SACD_CRITIC_H
#define VDI_MODEL_SACD_CRITIC_H
#include "../../grad/mlp.h"

/** Most heads of a critic. */
#define VDI_CRITIC_HEADS 64

/** Which of the four nets. */
enum {
    VDI_CRITIC_FIRST = 0,  /**< the first twin */
    VDI_CRITIC_SECOND = 1, /**< the second twin */
    VDI_CRITIC_TARGET = 2  /**< added to one of them: its target copy; alone where both twins are
                                meant */
};
/** How the twins are combined. */
typedef enum vdi_critic_rule {
    VDI_CRITIC_COMPOSITE = 0, /**< all heads of the twin whose weighted sum is smaller */
    VDI_CRITIC_ELEMENTWISE    /**< each head w_i Q_i from the twin where it is smaller: biased low
                                   by sqrt(heads) more */
} vdi_critic_rule;
/** How the gradients of the heads' losses are combined. */
typedef enum vdi_critic_gradient {
    VDI_CRITIC_MEAN = 0, /**< their mean */
    VDI_CRITIC_CAGRAD    /**< conflict-averse, Liu et al. 2021 (arXiv 2110.14048); costs a backward
                              pass for each head */
} vdi_critic_gradient;

/** Zero is the default of each field but the first three. */
typedef struct vdi_critic_desc {
    int64_t observations, actions, heads; /**< sizes */
    int layers;                           /**< hidden layers; default 2 */
    int64_t hidden[VDI_MLP_LAYERS];       /**< units of each; default 256 */
    int64_t batch;                        /**< most rows of a fit; default 256 */
    double rate, beta1, beta2, eps;       /**< Adam; default 3e-4, 0.9, 0.999, 1e-8 */
    double tau;                           /**< share of the net in its target at each fit; default
                                               0.005 */
    vdi_critic_gradient gradient;         /**< default the mean */
    double cagrad_c;                      /**< 0 <= c < 1; */
    bool has_cagrad_c;                    /**< without it 0.5 */
    vdi_dtype dtype;                      /**< of all arrays; default float32 */
    uint64_t seed;                        /**< of the first weights */
    vdi_pool *pool;                       /**< NULL: the caller alone */
    const vdi_allocator *allocator;       /**< NULL: malloc */
} vdi_critic_desc;

/** What a fit saw. */
typedef struct vdi_critic_stats {
    double loss[VDI_CRITIC_HEADS]; /**< mean squared error of each head, mean of the twins, before
                                        the step */
    double gradient;               /**< Euclidean norm of the gradient of both twins */
} vdi_critic_stats;

/** A critic, made by vdi_critic_create. */
typedef struct vdi_critic vdi_critic;
/** The filled description. */
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
 * obs (n,observations), action (n,actions). */
VDI_API void vdi_critic_values(vdi_critic *c, int which, int64_t n, const void *obs,
                               const void *action, void *values);
/** The smaller of the twins (of the targets with VDI_CRITIC_TARGET): values (n,heads),
 * composite (n) = sum_i w_i values_i, and for the
 *  nets that are not targets d composite / d action (n,actions); each may be NULL. weights (heads),
 *  NULL: all 1. */
VDI_API void vdi_critic_best(vdi_critic *c, int which, vdi_critic_rule rule, int64_t n,
                             const void *obs, const void *action, const double *weights,
                             void *values, double *composite, void *action_grad);
/** Gradient of each head with respect to the action, out (n,heads,actions); `which` as in
 * vdi_critic_values. */
VDI_API void vdi_critic_action_grad(vdi_critic *c, int which, int64_t n, const void *obs,
                                    const void *action, void *out);
/** Reward influence |w_i| |d Q_i / d a| of the first twin, influence (n,heads): how much each
 * component says about the action.
 *  weights NULL: all 1. Divide by the row's sum for the relative influence. */
VDI_API void vdi_critic_influence(vdi_critic *c, int64_t n, const void *obs, const void *action,
                                  const double *weights, double *influence);
/** One step of both twins towards targets y (n,heads), n <= desc.batch, and of the target copies
 * behind them:
 *  L = sum over twins of 1/heads sum_i mean_b (Q_i - y_i)^2. VDI_ERR_NUMERIC if it is refused:
 *  nothing has changed then. */
VDI_API VDI_NODISCARD vdi_status vdi_critic_fit(vdi_critic *c, int64_t n, const void *obs,
                                                const void *action, const void *y,
                                                vdi_critic_stats *stats, vdi_error *err);
/** Conflict of the components: gram (heads,heads) = <g_i, g_j> of the gradients of the heads'
 * losses at the last fit, `twin` 0 or 1, in all of a critic's parameters (heads meet in the trunk
 * alone). For VDI_CRITIC_CAGRAD only, since the mean never takes them one by one; with c = 0 the
 * step is the mean's. VDI_ERR_STATE without a fit, or of a critic whose gradient is the mean. */
VDI_API vdi_status vdi_critic_gram(const vdi_critic *c, int twin, double *gram, vdi_error *err);
/** Fits made. */
VDI_API int64_t vdi_critic_fits(const vdi_critic *c);
/** Another learning rate from here on. */
VDI_API void vdi_critic_set_rate(vdi_critic *c, double rate);
/** The weights by name; with `training` targets, Adam's memory and the count too: with them a run
 * goes on to the bit. */
VDI_API const vdi_state *vdi_critic_state(vdi_critic *c, bool training);

/** The twins' minimum of arrays: q0, q1 (n,heads) of dtype; values (n,heads), composite (n), from
 * (n,heads) the twin of each; each of
 *  these three may be NULL. weights (heads) or NULL. */
VDI_API void vdi_critic_minimum(vdi_dtype dtype, vdi_critic_rule rule, int64_t n, int64_t heads,
                                const double *weights, const void *q0, const void *q1, void *values,
                                double *composite, unsigned char *from);
/** Conflict-averse combination from the Gram matrix G (n,n) = <g_i, g_j> of n <= VDI_CRITIC_HEADS
 * gradients: coefficients k (n) so that
 *  d = sum_i k_i g_i maximises min_i <g_i, d> within |d - g0| <= c |g0|, g0 the mean. simplex (n),
 *  may be NULL: the w of the dual, argmin of <g_w, g0> + c |g0| |g_w|. Solved by exact line
 *  searches along pairs to a duality gap of 1e-14 |g|^2. */
VDI_API void vdi_cagrad(int64_t n, const double *G, double c, double *k, double *simplex);

#endif /* VDI_MODEL_SACD_CRITIC_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_CRITIC_C)
#define VDI_MODEL_SACD_CRITIC_C

/* Scratch of one worker, for `chunk` rows. */
typedef struct vdi__critic_space {
    void *x;                      /* (chunk, inputs) */
    void *h[2][VDI__MLP_LAYERS];  /* activations of the twins */
    void *dz[VDI__MLP_LAYERS];    /* cotangents of one of them */
    void *slope;                  /* (width of the trunk) sum_i w_i W_i */
    void *da;                     /* (chunk, actions) */
    void *whole[VDI__MLP_LAYERS]; /* (batch, width) cotangents of one head, for CAGrad */
    int64_t *row;                 /* (chunk) */
    unsigned char *from;          /* (chunk, heads) */
} vdi__critic_space;

struct vdi_critic {
    vdi_critic_desc desc;
    vdi_allocator allocator;
    vdi_arena arena;
    vdi__mlp net;
    vdi__learner twin[2];
    int64_t fits;
    int64_t chunk;            /* rows of a job */
    void *x;                  /* (batch, inputs): obs, action */
    void *y;                  /* (batch, heads) */
    vdi__critic_space *space; /* of each worker */
    int workers;
    void *part[2];            /* (heads, trunk) gradients of the heads' losses, for CAGrad */
    double *gram[2], *mix[2]; /* (heads,heads), (heads) */
    vdi_state state;
    vdi_named_tensor *tensor;
    char (*name)[VDI_PARAM_NAME];
    bool suspect; /* somebody may have written to the state */
};

VDI__DEF vdi_critic_desc vdi_critic_desc_defaults(void) {
    vdi_critic_desc d = VDI__ZERO;
    d.layers = 2;
    d.hidden[0] = d.hidden[1] = 256;
    d.batch = 256;
    d.rate = 3e-4;
    d.beta1 = 0.9;
    d.beta2 = 0.999;
    d.eps = 1e-8;
    d.tau = 0.005;
    d.cagrad_c = 0.5;
    d.has_cagrad_c = true;
    return d;
}

VDI__FN vdi_critic_desc vdi__critic_filled(const vdi_critic_desc *desc) {
    vdi_critic_desc d = vdi_critic_desc_defaults(), r = *desc;
    if (r.layers == 0) r.layers = d.layers;
    for (int l = 0; l < r.layers && l < VDI_MLP_LAYERS; l++)
        if (r.hidden[l] == 0) r.hidden[l] = d.hidden[0];
    if (r.batch == 0) r.batch = d.batch;
    if (r.rate == 0) r.rate = d.rate;
    if (r.beta1 == 0) r.beta1 = d.beta1;
    if (r.beta2 == 0) r.beta2 = d.beta2;
    if (r.eps == 0) r.eps = d.eps;
    if (r.tau == 0) r.tau = d.tau;
    if (!r.has_cagrad_c) r.cagrad_c = d.cagrad_c;
    r.has_cagrad_c = true;
    return r;
}

VDI__DEF vdi_status vdi_critic_desc_check(const vdi_critic_desc *desc, vdi_error *err) {
    vdi_critic_desc d = vdi__critic_filled(desc);
    const char *field = NULL;
    double value = 0;
    const int64_t most = 65536;
    if (d.observations < 1 || d.observations > most) {
        field = "observations";
        value = (double)d.observations;
    } else if (d.actions < 1 || d.actions > most) {
        field = "actions";
        value = (double)d.actions;
    } else if (d.heads < 1 || d.heads > VDI_CRITIC_HEADS) {
        field = "heads";
        value = (double)d.heads;
    } else if (d.layers < 1 || d.layers > VDI_MLP_LAYERS) {
        field = "layers";
        value = d.layers;
    } else if (d.batch < 1 || d.batch > 1000000) {
        field = "batch";
        value = (double)d.batch;
    } else if (!(d.rate > 0 && vdi__adam_safe(d.rate, d.beta1, d.beta2))) {
        field = "rate";
        value = d.rate;
    } else if (!(d.beta1 > 0 && d.beta1 < 1)) {
        field = "beta1";
        value = d.beta1;
    } else if (!(d.beta2 > 0 && d.beta2 < 1)) {
        field = "beta2";
        value = d.beta2;
    } else if (!(d.eps > 1e-30 && d.eps < 1e18)) {
        field = "eps";
        value = d.eps;
    } else if (!(d.tau > 0 && d.tau <= 1)) {
        field = "tau";
        value = d.tau;
    } else if ((unsigned)d.gradient > VDI_CRITIC_CAGRAD) {
        field = "gradient";
        value = d.gradient;
    } else if (!(d.cagrad_c >= 0 && d.cagrad_c < 1)) {
        field = "cagrad_c";
        value = d.cagrad_c;
    } else if (!vdi_dtype_is_real(d.dtype)) {
        field = "dtype";
        value = d.dtype;
    }
    for (int l = 0; !field && l < d.layers; l++) {
        if (d.hidden[l] < 1 || d.hidden[l] > most) {
            field = "hidden";
            value = (double)d.hidden[l];
        }
    }
    return field ? vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_critic_desc", "%s is %g: out of range",
                                 field, value)
                 : VDI_OK;
}

VDI__FN bool vdi__critic_space_init(vdi_critic *c, vdi__critic_space *s) {
    const vdi__mlp *n = &c->net;
    const size_t size = vdi_dtype_size(n->dtype), rows = (size_t)c->chunk;
    bool ok = true;
    s->x = vdi_arena_calloc(&c->arena, rows * n->width[0] * size);
    s->da = vdi_arena_calloc(&c->arena, rows * (size_t)c->desc.actions * size);
    s->slope =
        vdi_arena_calloc(&c->arena, (n->width[n->layers - 1] + (size_t)c->desc.heads) * size);
    s->row = (int64_t *)vdi_arena_calloc(&c->arena, rows * sizeof *s->row);
    s->from = (unsigned char *)vdi_arena_calloc(&c->arena, rows * (size_t)c->desc.heads);
    for (int l = 0; l < n->layers; l++) {
        for (int j = 0; j < 2; j++) {
            s->h[j][l] = vdi_arena_calloc(&c->arena, rows * n->width[l + 1] * size);
            ok = ok && s->h[j][l];
        }
        s->dz[l] = vdi_arena_calloc(&c->arena, rows * n->width[l + 1] * size);
        ok = ok && s->dz[l];
        if (c->desc.gradient != VDI_CRITIC_CAGRAD) continue;
        s->whole[l] = vdi_arena_calloc(&c->arena, (size_t)c->desc.batch * n->width[l + 1] * size);
        ok = ok && s->whole[l];
    }
    return ok && s->x && s->da && s->slope && s->row && s->from;
}

/* Rows of a job: all of a batch for one thread; a quarter where there are more, since threads
 * rarely run evenly. */
VDI__FN int64_t vdi__critic_chunk(int64_t batch, int threads) {
    int64_t jobs = threads > 1 ? 2 * (int64_t)threads : 1, rows = (batch + jobs - 1) / jobs;
    rows = (rows + 7) / 8 * 8;
    return VDI__MIN(VDI__MAX(VDI__MIN(rows, 256), 8), VDI__MAX(batch, 1));
}

VDI__DEF vdi_status vdi_critic_create(const vdi_critic_desc *desc, vdi_critic **out,
                                      vdi_error *err) {
    *out = NULL;
    vdi_status status = vdi_critic_desc_check(desc, err);
    if (status < 0) return status;
    vdi_critic *c = (vdi_critic *)vdi_alloc(desc->allocator, sizeof *c);
    if (!c) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_critic_create", "no memory");
    memset(c, 0, sizeof *c);
    c->desc = vdi__critic_filled(desc);
    c->allocator = vdi_allocator_defaults(desc->allocator);
    c->desc.allocator = NULL;
    vdi_arena_init(&c->arena, &c->allocator, (size_t)1 << 20);
    const int64_t heads = c->desc.heads, inputs = c->desc.observations + c->desc.actions;
    vdi__mlp_init(&c->net, c->desc.dtype, inputs, c->desc.layers, c->desc.hidden, heads);
    const size_t batch = (size_t)c->desc.batch;
    const size_t size = vdi_dtype_size(c->desc.dtype);
    const size_t per_net = (size_t)c->net.layers * 2;
    c->workers = vdi_pool_threads(c->desc.pool);
    c->chunk = vdi__critic_chunk(c->desc.batch, c->workers);
    c->x = vdi_arena_calloc(&c->arena, batch * (size_t)inputs * size);
    c->y = vdi_arena_calloc(&c->arena, batch * (size_t)heads * size);
    c->space =
        (vdi__critic_space *)vdi_arena_calloc(&c->arena, (size_t)c->workers * sizeof *c->space);
    c->tensor =
        (vdi_named_tensor *)vdi_arena_calloc(&c->arena, (8 * per_net + 1) * sizeof *c->tensor);
    c->name =
        (char(*)[VDI_PARAM_NAME])vdi_arena_calloc(&c->arena, (8 * per_net + 1) * sizeof *c->name);
    bool ok = c->x && c->y && c->space && c->tensor && c->name;
    for (int w = 0; ok && w < c->workers; w++)
        ok = vdi__critic_space_init(c, &c->space[w]);
    for (int j = 0; ok && j < 2; j++) {
        ok = vdi__learner_init(&c->twin[j], &c->net, &c->arena, batch, true);
        c->twin[j].x = c->x;
        c->twin[j].ldx = (size_t)inputs;
        if (c->desc.gradient == VDI_CRITIC_CAGRAD) {
            c->part[j] = vdi_arena_calloc(&c->arena, (size_t)heads * c->net.trunk * size);
            c->gram[j] =
                (double *)vdi_arena_calloc(&c->arena, (size_t)(heads * heads) * sizeof(double));
            c->mix[j] = (double *)vdi_arena_calloc(&c->arena, (size_t)heads * sizeof(double));
            ok = ok && c->part[j] && c->gram[j] && c->mix[j];
        }
        if (!ok) break;
        vdi_rng rng = vdi_rng_make(c->desc.seed, (uint64_t)1 << 56 | (uint64_t)(j + 1));
        vdi__mlp_draw(&c->net, c->twin[j].value, &rng, 1);
        memcpy(c->twin[j].target, c->twin[j].value, c->net.total * size);
    }
    if (!ok) {
        vdi_critic_destroy(c);
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_critic_create",
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
VDI__DEF vdi_status vdi_critic_gram(const vdi_critic *c, int twin, double *gram, vdi_error *err) {
    if (c->desc.gradient != VDI_CRITIC_CAGRAD || c->fits == 0) {
        return vdi_error_set(
            err, VDI_ERR_STATE, "vdi_critic_gram",
            "expected a critic with conflict-averse gradients that has made a fit");
    }
    memcpy(gram, c->gram[twin & 1], (size_t)(c->desc.heads * c->desc.heads) * sizeof *gram);
    return VDI_OK;
}
VDI__DEF void vdi_critic_set_rate(vdi_critic *c, double rate) { c->desc.rate = rate; }

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

/* ---- the smaller twin ------------------------------------------------------------------------ */

VDI__DEF void vdi_critic_minimum(vdi_dtype dtype, vdi_critic_rule rule, int64_t n, int64_t heads,
                                 const double *weights, const void *q0, const void *q1,
                                 void *values, double *composite, unsigned char *from) {
    for (int64_t b = 0; b < n; b++) {
        const size_t at = (size_t)(b * heads);
        double sum[2] = {0, 0};
        for (int64_t i = 0; i < heads; i++) {
            const double w = weights ? weights[i] : 1;
            sum[0] += w * vdi__load(dtype, q0, at + (size_t)i);
            sum[1] += w * vdi__load(dtype, q1, at + (size_t)i);
        }
        const int whole = sum[1] < sum[0];
        double total = rule == VDI_CRITIC_COMPOSITE ? sum[whole] : 0;
        for (int64_t i = 0; i < heads && (values || from || rule == VDI_CRITIC_ELEMENTWISE); i++) {
            int j = whole;
            if (rule == VDI_CRITIC_ELEMENTWISE) {
                /* of w_i Q_i: a negative weight turns the order over */
                const double w = weights ? weights[i] : 1;
                const double a = vdi__load(dtype, q0, at + (size_t)i);
                const double z = vdi__load(dtype, q1, at + (size_t)i);
                j = w < 0 ? z > a : z < a;
                total += w * (j ? z : a);
            }
            if (values) {
                vdi__store(dtype, values, at + (size_t)i,
                           vdi__load(dtype, j ? q1 : q0, at + (size_t)i));
            }
            if (from) from[at + (size_t)i] = (unsigned char)j;
        }
        if (composite) composite[b] = total;
    }
}

VDI__FN void vdi__critic_join(const vdi_critic *c, size_t n, size_t at, const void *obs,
                              const void *action, void *x) {
    const size_t o = (size_t)c->desc.observations;
    const size_t a = (size_t)c->desc.actions;
    const size_t size = vdi_dtype_size(c->desc.dtype);
    for (size_t b = 0; b < n; b++) {
        char *row = (char *)x + b * (o + a) * size;
        memcpy(row, (const char *)obs + (at + b) * o * size, o * size);
        memcpy(row + o * size, (const char *)action + (at + b) * a * size, a * size);
    }
}

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

/* After vdi__critic_twins: d composite / d action, da (n,actions), with s->from filled. Under the
   composite rule one twin's backward pass is needed for a row, so the rows of each twin are closed
   up; all of them share one cotangent, W w. */
VDI__FN void vdi__critic_slope(const vdi_critic *c, vdi__critic_space *s, vdi_critic_rule rule,
                               size_t n, const double *weights, void *da) {
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads;
    const size_t actions = (size_t)c->desc.actions;
    const size_t width = net->width[top];
    const size_t size = vdi_dtype_size(t);
    for (int j = 0; j < 2; j++) {
        const void *block = c->twin[j].value;
        if (rule == VDI_CRITIC_ELEMENTWISE) {
            for (size_t i = 0; i < n * heads; i++) {
                vdi__store(t, s->dz[top], i,
                           s->from[i] == j ? (weights ? weights[i % heads] : 1) : 0);
            }
            vdi__mlp_backward(net, block, top, n, s->h[j], s->dz);
            vdi__mlp_input_grad(net, block, n, (size_t)c->desc.observations, actions, s->dz[0],
                                j ? s->da : da);
            if (j) vdi_axpby(t, n * actions, 1, s->da, 1, da);
            continue;
        }
        void *w = vdi__part(t, s->slope, width);
        size_t count = 0;
        for (size_t i = 0; i < heads; i++)
            vdi__store(t, w, i, weights ? weights[i] : 1);
        vdi_gemv(t, 0, width, heads, vdi__part(t, block, net->weight[top]), heads, w, s->slope);
        for (size_t b = 0; b < n; b++)
            if (s->from[b * heads] == j) s->row[count++] = (int64_t)b;
        if (count == 0) continue;
        for (int l = top - 1; l >= 0; l--) {
            const size_t out = net->width[l + 1];
            if (l < top - 1) {
                vdi_gemm(t, VDI_GEMM_TB, count, out, net->width[l + 2], s->dz[l + 1],
                         net->width[l + 2], vdi__part(t, block, net->weight[l + 1]),
                         net->width[l + 2], s->dz[l], out);
            }
            for (size_t k = 0; k < count; k++) {
                void *to = vdi__part(t, s->dz[l], k * out);
                vdi_act_grad(t, VDI_ACT_RELU, 0, out,
                             vdi__part(t, s->h[j][l], (size_t)s->row[k] * out),
                             l == top - 1 ? s->slope : to, to);
            }
        }
        vdi__mlp_input_grad(net, block, count, (size_t)c->desc.observations, actions, s->dz[0],
                            s->da);
        for (size_t k = 0; k < count; k++) {
            memcpy((char *)da + (size_t)s->row[k] * actions * size,
                   (const char *)s->da + k * actions * size, actions * size);
        }
    }
}

VDI__DEF void vdi_critic_values(vdi_critic *c, int which, int64_t n, const void *obs,
                                const void *action, void *values) {
    vdi__critic_space *s = &c->space[0];
    const size_t heads = (size_t)c->desc.heads, size = vdi_dtype_size(c->desc.dtype);
    for (int64_t at = 0; at < n; at += c->chunk) {
        const size_t rows = (size_t)VDI__MIN(c->chunk, n - at);
        vdi__critic_join(c, rows, (size_t)at, obs, action, s->x);
        vdi__mlp_forward(&c->net, vdi__critic_block(c, which), rows, s->x, c->net.width[0],
                         s->h[0]);
        memcpy((char *)values + (size_t)at * heads * size, s->h[0][c->net.layers - 1],
               rows * heads * size);
    }
}

VDI__DEF void vdi_critic_best(vdi_critic *c, int which, vdi_critic_rule rule, int64_t n,
                              const void *obs, const void *action, const double *weights,
                              void *values, double *composite, void *action_grad) {
    vdi__critic_space *s = &c->space[0];
    const vdi_dtype t = c->desc.dtype;
    const int top = c->net.layers - 1;
    for (int64_t at = 0; at < n; at += c->chunk) {
        const int64_t rows = VDI__MIN(c->chunk, n - at);
        vdi__critic_join(c, (size_t)rows, (size_t)at, obs, action, s->x);
        vdi__critic_twins(c, s, which, (size_t)rows, s->x);
        vdi_critic_minimum(t, rule, rows, c->desc.heads, weights, s->h[0][top], s->h[1][top],
                           values ? vdi__part(t, values, (size_t)(at * c->desc.heads)) : NULL,
                           composite ? composite + at : NULL, s->from);
        if (action_grad && !(which & VDI_CRITIC_TARGET)) {
            vdi__critic_slope(c, s, rule, (size_t)rows, weights,
                              vdi__part(t, action_grad, (size_t)(at * c->desc.actions)));
        }
    }
}

/* dz[top-1] (n,width) = e[:,head] W[:,head]' * rectified: the cotangent of one head alone; e
 * (n,heads), or NULL for all 1. */
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
    } else {
        for (size_t b = 0; b < n; b++) {
            for (size_t i = 0; i < width; i++)
                vdi__store(t, dz[top - 1], b * width + i, vdi__load(t, w, i * heads));
        }
    }
    vdi_act_grad(t, VDI_ACT_RELU, 0, n * width, h[top - 1], dz[top - 1], dz[top - 1]);
}

VDI__DEF void vdi_critic_action_grad(vdi_critic *c, int which, int64_t n, const void *obs,
                                     const void *action, void *out) {
    vdi__critic_space *s = &c->space[0];
    const vdi_dtype t = c->desc.dtype;
    const void *block = vdi__critic_block(c, which);
    const size_t heads = (size_t)c->desc.heads;
    const size_t actions = (size_t)c->desc.actions;
    const size_t size = vdi_dtype_size(t);
    for (int64_t at = 0; at < n; at += c->chunk) {
        const size_t rows = (size_t)VDI__MIN(c->chunk, n - at);
        vdi__critic_join(c, rows, (size_t)at, obs, action, s->x);
        vdi__mlp_forward(&c->net, block, rows, s->x, c->net.width[0], s->h[0]);
        for (size_t i = 0; i < heads; i++) {
            vdi__critic_one_head(c, block, rows, i, NULL, s->h[0], s->dz);
            vdi__mlp_backward(&c->net, block, c->net.layers - 2, rows, s->h[0], s->dz);
            vdi__mlp_input_grad(&c->net, block, rows, (size_t)c->desc.observations, actions,
                                s->dz[0], s->da);
            for (size_t b = 0; b < rows; b++) {
                memcpy((char *)out + (((size_t)at + b) * heads + i) * actions * size,
                       (const char *)s->da + b * actions * size, actions * size);
            }
        }
    }
}

VDI__DEF void vdi_critic_influence(vdi_critic *c, int64_t n, const void *obs, const void *action,
                                   const double *weights, double *influence) {
    vdi__critic_space *s = &c->space[0];
    const vdi_dtype t = c->desc.dtype;
    const size_t heads = (size_t)c->desc.heads, actions = (size_t)c->desc.actions;
    const void *block = c->twin[0].value;
    for (int64_t at = 0; at < n; at += c->chunk) {
        const size_t rows = (size_t)VDI__MIN(c->chunk, n - at);
        vdi__critic_join(c, rows, (size_t)at, obs, action, s->x);
        vdi__mlp_forward(&c->net, block, rows, s->x, c->net.width[0], s->h[0]);
        for (size_t i = 0; i < heads; i++) {
            vdi__critic_one_head(c, block, rows, i, NULL, s->h[0], s->dz);
            vdi__mlp_backward(&c->net, block, c->net.layers - 2, rows, s->h[0], s->dz);
            vdi__mlp_input_grad(&c->net, block, rows, (size_t)c->desc.observations, actions,
                                s->dz[0], s->da);
            for (size_t b = 0; b < rows; b++) {
                double square = 0;
                for (size_t k = 0; k < actions; k++) {
                    double g = vdi__load(t, s->da, b * actions + k);
                    square += g * g;
                }
                influence[((size_t)at + b) * heads + i] =
                    sqrt(square) * (weights ? fabs(weights[i]) : 1);
            }
        }
    }
}

/* ---- conflict-averse gradients --------------------------------------------------------------- */

/* The dual, f(w) = <g_w, g0> + c |g0| |g_w|, is convex on the simplex. Along a pair (one entry up,
   one down by s) it is a s + r sqrt(q0 + 2 b s + q s^2) plus a constant, whose minimum is the root
   of a quadratic: each step is exact. The pair is the one that the gradient likes most, so that the
   gap below bounds what is left. */
VDI__DEF void vdi_cagrad(int64_t n, const double *G, double c, double *k, double *simplex) {
    double w[VDI_CRITIC_HEADS], Gw[VDI_CRITIC_HEADS], Gu[VDI_CRITIC_HEADS], uGu = 0, scale = 0;
    for (int64_t i = 0; i < n; i++) {
        w[i] = 1 / (double)n;
        Gu[i] = 0;
        for (int64_t j = 0; j < n; j++)
            Gu[i] += G[i * n + j] / (double)n;
        uGu += Gu[i] / (double)n;
        Gw[i] = Gu[i];
        scale = fmax(scale, G[i * n + i]);
    }
    const double radius = c * sqrt(fmax(uGu, 0));
    double wGw = uGu;
    for (int round = 0; round < 1000 && radius > 0; round++) {
        const double norm = sqrt(fmax(wGw, 0)), r = norm > 0 ? radius / norm : 0;
        double gap = 0, low = 0, high = 0;
        int64_t up = 0, down = -1;
        for (int64_t i = 0; i < n; i++) {
            const double f = Gu[i] + r * Gw[i];
            gap += w[i] * f;
            if (i == 0 || f < low) {
                low = f;
                up = i;
            }
            if (w[i] > 0 && (down < 0 || f > high)) {
                high = f;
                down = i;
            }
        }
        gap -= low;
        if (gap <= 1e-14 * (scale + 1e-300) || up == down || norm == 0) break;
        const double a = Gu[up] - Gu[down];
        const double b = Gw[up] - Gw[down];
        const double q = G[up * n + up] - 2 * G[up * n + down] + G[down * n + down];
        double s = w[down]; /* as far as the entry lasts */
        /* a + radius (b + q s) / sqrt(wGw + 2 b s + q s^2) = 0: squared, (b + q s)^2 (radius^2 q -
         * a^2) = a^2 (wGw q - b^2) */
        const double left = radius * radius * q - a * a, right = a * a * fmax(wGw * q - b * b, 0);
        if (q > 0 && left > 0) {
            const double t = (sqrt(right / left) * (a < 0 ? 1 : -1) - b) / q;
            if (t < s) s = t;
        }
        if (!(s > 0)) break;
        w[up] += s;
        w[down] = s < w[down] ? w[down] - s : 0;
        wGw = 0;
        for (int64_t i = 0; i < n; i++) {
            Gw[i] = 0;
            for (int64_t j = 0; j < n; j++)
                Gw[i] += G[i * n + j] * w[j];
        }
        for (int64_t i = 0; i < n; i++)
            wGw += w[i] * Gw[i];
    }
    const double norm = sqrt(fmax(wGw, 0)), lambda = norm > 0 ? radius / norm : 0;
    for (int64_t i = 0; i < n; i++) {
        k[i] = 1 / (double)n + lambda * w[i];
        if (simplex) simplex[i] = w[i];
    }
}

/* ---- fit ------------------------------------------------------------------------------------- */

/* Rows at..at+n of one twin: forward, errors, and (for the mean gradient) the cotangents of every
   layer. dz[top] is then the gradient 2 k_i / batch (Q_i - y_i); for CAGrad the k_i come later and
   stand at 1. */
VDI__FN void vdi__critic_rows(vdi_critic *c, int twin, size_t at, size_t n, size_t batch) {
    const vdi__mlp *net = &c->net;
    vdi__learner *e = &c->twin[twin];
    const int top = net->layers - 1;
    const bool mean = c->desc.gradient == VDI_CRITIC_MEAN;
    const size_t heads = (size_t)c->desc.heads;
    const double scale = 2.0 / (double)batch / (mean ? (double)heads : 1);
    void *h[VDI__MLP_LAYERS], *dz[VDI__MLP_LAYERS];
    vdi__learner_rows(e, at, h, dz);
    vdi__mlp_forward(net, e->value, n, vdi__part(net->dtype, c->x, at * net->width[0]),
                     net->width[0], h);
    vdi_axpby(net->dtype, n * heads, scale, h[top], 0, dz[top]);
    vdi_axpby(net->dtype, n * heads, -scale, vdi__part(net->dtype, c->y, at * heads), 1, dz[top]);
    if (mean) vdi__mlp_backward(net, e->value, top, n, h, dz);
}

/* Job (twin, head): the gradient of one head's loss with respect to the trunk. */
VDI__FN void vdi__critic_part(vdi_critic *c, int twin, size_t head, size_t batch,
                              vdi__critic_space *s) {
    const vdi__mlp *net = &c->net;
    vdi__learner *e = &c->twin[twin];
    const int top = net->layers - 1;
    void *part = vdi__part(net->dtype, c->part[twin], head * net->trunk);
    vdi__critic_one_head(c, e->value, batch, head, e->dz[top], e->h, s->whole);
    vdi__mlp_backward(net, e->value, top - 1, batch, e->h, s->whole);
    for (int l = 0; l < top; l++) {
        vdi__mlp_weight_grad(net, l, 0, net->width[l], batch, l ? e->h[l - 1] : e->x,
                             l ? net->width[l] : e->ldx, s->whole[l], part);
        vdi_sum_rows(net->dtype, batch, net->width[l + 1], s->whole[l], net->width[l + 1], false,
                     vdi__part(net->dtype, part, net->bias[l]));
    }
}

/* The Gram matrix of one twin: trunks meet, rows of different heads do not. Then the
 * coefficients. */
VDI__FN void vdi__critic_weigh(vdi_critic *c, int twin, size_t batch) {
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    vdi__learner *e = &c->twin[twin];
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads, width = net->width[top];
    double *G = c->gram[twin];
    vdi__mlp_weight_grad(net, top, 0, width, batch, e->h[top - 1], width, e->dz[top], e->grad);
    vdi_sum_rows(t, batch, heads, e->dz[top], heads, false, vdi__part(t, e->grad, net->bias[top]));
    for (size_t i = 0; i < heads; i++) {
        for (size_t j = 0; j <= i; j++) {
            G[i * heads + j] = G[j * heads + i] =
                vdi_dot(t, net->trunk, vdi__part(t, c->part[twin], i * net->trunk),
                        vdi__part(t, c->part[twin], j * net->trunk));
        }
        for (size_t r = 0; r <= width; r++) { /* the row after the last is the bias */
            double g = vdi__load(t, e->grad,
                                 (r < width ? net->weight[top] + r * heads : net->bias[top]) + i);
            G[i * heads + i] += g * g;
        }
    }
    vdi_cagrad((int64_t)heads, G, c->desc.cagrad_c, c->mix[twin], NULL);
}

typedef struct vdi__critic_jobs {
    vdi_critic *c;
    size_t batch;
    int64_t chunks;
    vdi__adam adam;
} vdi__critic_jobs;

VDI__FN void vdi__critic_rows_job(int64_t index, int worker, void *user) {
    vdi__critic_jobs *u = (vdi__critic_jobs *)user;
    const size_t at = (size_t)(index / 2 * u->c->chunk);
    (void)worker;
    vdi__critic_rows(u->c, (int)(index % 2), at, VDI__MIN((size_t)u->c->chunk, u->batch - at),
                     u->batch);
}
VDI__FN void vdi__critic_part_job(int64_t index, int worker, void *user) {
    vdi__critic_jobs *u = (vdi__critic_jobs *)user;
    vdi__critic_part(u->c, (int)(index % 2), (size_t)(index / 2), u->batch, &u->c->space[worker]);
}
VDI__FN void vdi__critic_weigh_job(int64_t index, int worker, void *user) {
    vdi__critic_jobs *u = (vdi__critic_jobs *)user;
    (void)worker;
    vdi__critic_weigh(u->c, (int)index, u->batch);
}
VDI__FN void vdi__critic_mixed_job(int64_t index, int worker, void *user) {
    vdi__critic_jobs *u = (vdi__critic_jobs *)user;
    vdi_critic *c = u->c;
    vdi__learner *e = &c->twin[index % 2];
    const size_t at = (size_t)(index / 2 * c->chunk);
    const size_t n = VDI__MIN((size_t)c->chunk, u->batch - at);
    const size_t heads = (size_t)c->desc.heads;
    const int top = c->net.layers - 1;
    void *h[VDI__MLP_LAYERS], *dz[VDI__MLP_LAYERS];
    (void)worker;
    vdi__learner_rows(e, at, h, dz);
    for (size_t i = 0; i < n * heads; i++) {
        vdi__store(c->net.dtype, dz[top], i,
                   vdi__load(c->net.dtype, dz[top], i) * c->mix[index % 2][i % heads]);
    }
    vdi__mlp_backward(&c->net, e->value, top, n, h, dz);
}
VDI__FN void vdi__critic_grad_job(int64_t index, int worker, void *user) {
    vdi__critic_jobs *u = (vdi__critic_jobs *)user;
    (void)worker;
    vdi__learner_grad(&u->c->twin[index % 2], u->batch, (int)(index / 2));
}
VDI__FN void vdi__critic_step_job(int64_t index, int worker, void *user) {
    vdi__critic_jobs *u = (vdi__critic_jobs *)user;
    (void)worker;
    vdi__learner_step(&u->c->twin[index % 2], &u->adam, (int)(index / 2));
}

/* Mean squared error of each head, from the dz[top] of the first pass. */
VDI__FN void vdi__critic_losses(const vdi_critic *c, size_t batch, vdi_critic_stats *stats) {
    const size_t heads = (size_t)c->desc.heads;
    const int top = c->net.layers - 1;
    const double k = (double)batch / 2 * (c->desc.gradient == VDI_CRITIC_MEAN ? (double)heads : 1);
    for (size_t i = 0; i < heads; i++)
        stats->loss[i] = 0;
    for (int j = 0; j < 2; j++) {
        for (size_t b = 0; b < batch; b++) {
            for (size_t i = 0; i < heads; i++) {
                double e = vdi__load(c->net.dtype, c->twin[j].dz[top], b * heads + i);
                stats->loss[i] += e * e;
            }
        }
    }
    for (size_t i = 0; i < heads; i++)
        stats->loss[i] *= k * k / (2 * (double)batch);
}

/* Between the first pass and the weights' gradients, for CAGrad alone. */
VDI__FN void vdi__critic_avert(vdi_critic *c, vdi__critic_jobs *u) {
    vdi_pool_run(c->desc.pool, 2 * c->desc.heads, vdi__critic_part_job, u);
    vdi_pool_run(c->desc.pool, 2, vdi__critic_weigh_job, u);
    vdi_pool_run(c->desc.pool, 2 * u->chunks, vdi__critic_mixed_job, u);
}

VDI__FN vdi_status vdi__critic_sound(vdi_critic *c, const char *where, vdi_error *err) {
    for (int j = 0; c->suspect && j < 2; j++) {
        if (!vdi__learner_sound(&c->twin[j]) || c->fits < 0) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                                 "the state of twin %d holds numbers that are not finite", j);
        }
    }
    c->suspect = false;
    return VDI_OK;
}

/* Squares beyond this leave float32; a gradient as long as that means that learning has failed
 * anyway. */
VDI__FN bool vdi__gradient_ok(double squares) { return squares < 1e36; }

VDI__DEF vdi_status vdi_critic_fit(vdi_critic *c, int64_t n, const void *obs, const void *action,
                                   const void *y, vdi_critic_stats *stats, vdi_error *err) {
    static const char where[] = "vdi_critic_fit";
    vdi_critic_stats seen;
    vdi__critic_jobs u;
    if (n < 1 || n > c->desc.batch) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%lld rows: expected 1 to %lld",
                             (long long)n, (long long)c->desc.batch);
    }
    vdi_status status = vdi__critic_sound(c, where, err);
    if (status < 0) return status;
    u.c = c;
    u.batch = (size_t)n;
    u.chunks = (n + c->chunk - 1) / c->chunk;
    u.adam = vdi__adam_at(c->desc.rate, c->desc.beta1, c->desc.beta2, c->desc.eps, c->fits + 1,
                          c->desc.tau);
    vdi__critic_join(c, (size_t)n, 0, obs, action, c->x);
    memcpy(c->y, y, (size_t)(n * c->desc.heads) * vdi_dtype_size(c->desc.dtype));
    vdi_pool_run(c->desc.pool, 2 * u.chunks, vdi__critic_rows_job, &u);
    vdi__critic_losses(c, u.batch, &seen);
    if (c->desc.gradient == VDI_CRITIC_CAGRAD) vdi__critic_avert(c, &u);
    vdi_pool_run(c->desc.pool, 2 * c->net.slices, vdi__critic_grad_job, &u);
    const double squares = vdi__learner_squares(&c->twin[0]) + vdi__learner_squares(&c->twin[1]);
    if (!vdi__gradient_ok(squares)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "fit %lld: the gradient is not finite, or as long as %g",
                             (long long)c->fits, sqrt(squares));
    }
    vdi_pool_run(c->desc.pool, 2 * vdi__learner_pieces(&c->twin[0]), vdi__critic_step_job, &u);
    c->fits++;
    seen.gradient = sqrt(squares);
    if (stats) *stats = seen;
    return VDI_OK;
}
#endif
