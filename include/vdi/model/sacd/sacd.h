/* model/sacd/sacd.h - SAC-D: a soft actor-critic whose value is split by reward component
 *
 *     y_i = r_i + gamma (1-d) Q_i(s',a')          i = 1..m   a' ~ pi(.|s'), all Q_i from the target
 *                                                 twin with the smaller sum w_i Q_i
 *     y_e = gamma (1-d) (Q_e(s',a') - alpha log pi(a'|s'))   the entropy is component m+1
 *     L_pi = mean(alpha log pi(a|s) - min_j sum_i w_i Q_i^j(s,a)),
 *     L_alpha = -mean(alpha (log pi + H)),   H = -actions
 *
 * Do this:
 *     vdi_sacd_desc desc = VDI__ZERO;
 *     desc.observations = env.observations;
 *     desc.actions = env.actions;
 *     desc.components = env.components;
 *     vdi_sacd *agent;
 *     if (vdi_sacd_create(&desc, &agent, &err) < 0) puts(err.message);
 *     vdi_sacd_episode episode = VDI__ZERO;
 *     for (int64_t step = 0; step < 10000; step++)
 *         if (vdi_sacd_step(agent, &env, &episode, NULL, &err) < 0)
 *             puts(err.message);   one step of the environment, one update
 *     vdi_sacd_act(agent, obs, true, action);   in a game loop: nothing is allocated
 *     vdi_sacd_destroy(agent);
 *
 * With weights 1 the targets y_i sum to SAC's target; weights may be changed at any time, and no
 * value has to be learned anew. Algorithms are options of one update: SAC-D, its element-wise
 * ("naive") minimum, its conflict-averse gradient, and plain SAC on the weighted sum of the rewards
 * (MacGlashan et al. 2022, arXiv 2206.13901; Haarnoja et al. 2018, arXiv 1812.05905).
 * docs/guide/sacd.md has the equations and what was measured.
 * Memory: all taken at create. Errors: a transition that is not finite is refused, an update that
 * would not stay finite is refused; the agent is as before then. Threads: desc.pool shares out an
 * update; the bits do not depend on it. One agent per thread.
 * Randomness: functions of (seed, what for, how many before), so a saved state goes on to the bit.
 * What it does NOT do: discrete actions, images, recurrent policies, normalisation of observations
 * or rewards.
 */
#ifndef VDI_MODEL_SACD_SACD_H
#define VDI_MODEL_SACD_SACD_H
#include "../env/env.h"
#include "replay.h"
#include "critic.h"

/** What is learned. */
typedef enum vdi_sacd_algo {
    VDI_SACD_COMPOSITE = 0, /**< "sac-d": minimum over the composite, mean of the heads'
                                 gradients */
    VDI_SACD_NAIVE,         /**< "sac-d-naive": minimum head by head */
    VDI_SACD_CAGRAD,        /**< "sac-d-cagrad": composite minimum, conflict-averse gradient */
    VDI_SACD_SAC            /**< "sac": one head for the weighted sum of the rewards and the
                                 entropy */
} vdi_sacd_algo;

/** Zero is the default of each field but the first three. */
typedef struct vdi_sacd_desc {
    int64_t observations, actions, components; /**< sizes, as in vdi_env */
    vdi_sacd_algo algo;                        /**< default SAC-D */
    int layers;                                /**< hidden layers of policy and critics; default
                                                    2 */
    int64_t hidden[VDI_MLP_LAYERS];            /**< units of each; default 256 */
    int64_t batch;                             /**< transitions of an update; default 256 */
    int64_t capacity;                          /**< of the replay buffer; default 1,000,000 */
    int64_t start;                             /**< uniformly random actions before the first
                                                    update; default 1000 */
    int64_t update_every;                      /**< steps of the environment for one update; default
                                                    1 */
    double rate;                               /**< Adam's rate for policy, critics and temperature;
                                                    default 3e-4 */
    double last_rate;                          /**< where a straight line leads it ... default
                                                    rate */
    int64_t rate_updates;                      /**< ... in that many updates ... */
    int64_t rate_hold;                         /**< ... after the first so many, at `rate` */
    double tau;                                /**< of the target nets; default 0.005 */
    double gamma;                              /**< discount; default 0.99 */
    double target_entropy;                     /**< H, in nats; */
    bool has_target_entropy;                   /**< without it -actions */
    double log_alpha;                          /**< where the temperature begins; default 0, alpha =
                                                    1 */
    bool fixed_alpha;                          /**< ... and stays */
    bool entropy_at_terminals;                 /**< pay the last step's entropy at terminal states
                                                    too, as nnablaRL does */
    double cagrad_c;                           /**< 0 <= c < 1, for VDI_SACD_CAGRAD; */
    bool has_cagrad_c;                         /**< without it 0.5 */
    const double *weights;                     /**< (components + 1) or NULL: all 1; the last is the
                                                    entropy's */
    vdi_dtype dtype;                           /**< of the nets; default float32 */
    uint64_t seed;                             /**< of everything random */
    vdi_pool *pool;                            /**< NULL: the caller alone */
    const vdi_allocator *allocator;            /**< NULL: malloc */
} vdi_sacd_desc;

/** What an update saw. */
typedef struct vdi_sacd_stats {
    double loss[VDI_CRITIC_HEADS]; /**< mean squared error of each head, mean of the twins */
    double critic_gradient;        /**< norm */
    double policy_gradient;        /**< norm */
    double policy_loss;            /**< mean of alpha log pi - Q */
    double value;                  /**< mean of the smaller composite at the policy's actions */
    double entropy;                /**< mean of -log pi, in nats */
    double alpha;                  /**< temperature used */
} vdi_sacd_stats;

/** An episode under way. Begin with all zero; `index` may be set. */
typedef struct vdi_sacd_episode {
    int64_t index;                        /**< the episode's number, counted up when the next one
                                               begins */
    int64_t steps;                        /**< steps so far */
    int end;                              /**< VDI_ENV_ flags once it has ended; the next step
                                               begins a new one */
    bool running;                         /**< has it begun? */
    double sum[VDI_ENV_MAX_COMPONENTS];   /**< rewards so far */
    float obs[VDI_ENV_MAX_OBSERVATIONS];  /**< before the next step */
    float action[VDI_ENV_MAX_ACTIONS];    /**< of the last step */
    float reward[VDI_ENV_MAX_COMPONENTS]; /**< of the last step */
} vdi_sacd_episode;

/** An agent, made by vdi_sacd_create. */
typedef struct vdi_sacd vdi_sacd;
/** The filled description (sizes left at 0). */
VDI_API vdi_sacd_desc vdi_sacd_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_sacd_desc_check(const vdi_sacd_desc *desc, vdi_error *err);
/** "sac-d", "sac-d-naive", "sac-d-cagrad", "sac". */
VDI_API const char *vdi_sacd_algo_name(vdi_sacd_algo algo);
/** The algorithm of that name; false if there is none. */
VDI_API bool vdi_sacd_algo_find(const char *name, vdi_sacd_algo *out);
/** Make an agent. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_create(const vdi_sacd_desc *desc, vdi_sacd **out,
                                                 vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_sacd_destroy(vdi_sacd *agent);
/** The description with its defaults filled in. */
VDI_API const vdi_sacd_desc *vdi_sacd_get_desc(const vdi_sacd *agent);
/** Its critic, heads = components + 1 (1 for SAC), for the tools of model/sacd/explain.h. */
VDI_API vdi_critic *vdi_sacd_critic(vdi_sacd *agent);
/** Its replay buffer. */
VDI_API vdi_replay *vdi_sacd_replay(vdi_sacd *agent);

/** An action in [-1,1] for an observation: tanh of the mean, or a sample. No allocation; uses
 * memory of the agent. */
VDI_API void vdi_sacd_act(vdi_sacd *agent, const float *obs, bool deterministic, float *action);
/** n actions at once, arrays of the agent's dtype: obs (n,observations); mean action tanh(mean)
 * (n,actions), and log_sd (n,actions) of the
 *  Gaussian before tanh, which may be NULL. */
VDI_API void vdi_sacd_policy(vdi_sacd *agent, int64_t n, const void *obs, void *action,
                             void *log_sd);
/** The action of training: uniform in the first desc.start steps, then a sample. */
VDI_API void vdi_sacd_explore(vdi_sacd *agent, const float *obs, float *action);
/** Remember a transition; `end`: 0 or VDI_ENV_ flags. Time-outs bootstrap, terminal states do not.
 * VDI_ERR_DATA if it is not finite. */
VDI_API vdi_status vdi_sacd_observe(vdi_sacd *agent, const float *obs, const float *action,
                                    const float *reward, const float *next, int end,
                                    vdi_error *err);
/** Is an update due, by desc.start and desc.update_every? */
VDI_API bool vdi_sacd_due(const vdi_sacd *agent);
/** One update of critics, targets, policy and temperature on a batch: all gradients are taken at
 * the same weights, then all steps are
 *  made. VDI_ERR_STATE without a transition; VDI_ERR_NUMERIC if it is refused: nothing has changed
 *  then. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_update(vdi_sacd *agent, vdi_sacd_stats *stats,
                                                 vdi_error *err);
/** Targets of the heads, y (heads), for one transition: q (heads) are the target critics' values at
 * (s', a') that the rule has picked, log_pi is log pi(a'|s'). With weights 1 they sum to SAC's
 * target. */
VDI_API void vdi_sacd_target(const vdi_sacd *agent, const float *reward, int end, const double *q,
                             double log_pi, double *y);
/** One step of training in an environment: begin an episode if none runs, act, observe, update if
 * due. `stats` is written when there was an
 *  update. On an error of the environment the episode is dropped: running is false. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_step(vdi_sacd *agent, vdi_env *env,
                                               vdi_sacd_episode *episode, vdi_sacd_stats *stats,
                                               vdi_error *err);
/** Play one episode without learning, with tanh(mean): sums (components) of the rewards, their
 * number of steps; NULL: not wanted. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_play(vdi_sacd *agent, vdi_env *env, uint64_t seed,
                                               uint64_t episode, double *sums, int64_t *steps,
                                               vdi_error *err);

/** Steps observed. */
VDI_API int64_t vdi_sacd_steps(const vdi_sacd *agent);
/** Updates made. */
VDI_API int64_t vdi_sacd_updates(const vdi_sacd *agent);
/** The temperature alpha. */
VDI_API double vdi_sacd_alpha(const vdi_sacd *agent);
/** The weights now, (components + 1). */
VDI_API void vdi_sacd_weights(const vdi_sacd *agent, double *weights);
/** Other weights from here on, (components + 1). Values stay as they are: they are of the
 * components, not of the sum. */
VDI_API vdi_status vdi_sacd_set_weights(vdi_sacd *agent, const double *weights, vdi_error *err);
/** Lead one weight along a straight line: `from` until step `begin`, `to` from step begin + length
 * on. */
VDI_API vdi_status vdi_sacd_schedule_weight(vdi_sacd *agent, int64_t component, double from,
                                            double to, int64_t begin, int64_t length,
                                            vdi_error *err);
/** The state by name: policy, critics, temperature, weights, and as metadata what
 * vdi_sacd_desc_from_meta takes. With `training` also
 *  targets, Adam's memory, counters and the replay buffer as far as it is filled: a run goes on to
 *  the bit. */
VDI_API const vdi_state *vdi_sacd_state(vdi_sacd *agent, bool training);
/** Before a training state is loaded: transitions that it holds ("counters" element 3), so that the
 * shapes agree. */
VDI_API void vdi_sacd_expect(vdi_sacd *agent, int64_t added);
/** Sizes, algorithm and the numbers of training from a state's metadata. VDI_ERR_FORMAT if
 * something is missing. */
VDI_API vdi_status vdi_sacd_desc_from_meta(const vdi_meta *meta, int64_t count, vdi_sacd_desc *out,
                                           vdi_error *err);

#endif /* VDI_MODEL_SACD_SACD_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_SACD_C)
#define VDI_MODEL_SACD_SACD_C

/* What random numbers are for: the upper byte of a stream. The critic's weights are streams 1 and 2
 * of the first. */
enum { VDI__SACD_INIT = 1, VDI__SACD_SAMPLE, VDI__SACD_NEXT, VDI__SACD_POLICY, VDI__SACD_ACT };
enum {
    VDI__SACD_STEPS = 0,
    VDI__SACD_UPDATES,
    VDI__SACD_ACTS,
    VDI__SACD_ADDED,
    VDI__SACD_COUNTERS
};
enum { VDI__SACD_META = 32, VDI__SACD_META_TEXT = 96 };

#define VDI__LOG_SD_MIN (-20.0)
#define VDI__LOG_SD_MAX 2.0
#define VDI__LOG_2 0.69314718055994530942

/* Scratch of one worker, for a chunk of rows. */
typedef struct vdi__sacd_space {
    void *x;                  /* (chunk, inputs) observation and action of the policy */
    void *h[VDI__MLP_LAYERS]; /* of the policy at the next observation */
    void *sd, *u, *softplus;  /* (chunk, actions) */
    void *da;                 /* (chunk, actions) */
    double *composite;        /* (chunk) */
} vdi__sacd_space;

struct vdi_sacd {
    vdi_sacd_desc desc;
    vdi_allocator allocator;
    vdi_arena arena;
    vdi_critic *critic;
    vdi_replay *replay;
    vdi__mlp net; /* policy: outputs are mean and log sd */
    vdi__learner policy;
    int64_t heads;
    double log_alpha[3];                 /* value, and Adam's m and v */
    int64_t counter[VDI__SACD_COUNTERS]; /* steps, updates, sampled actions, transitions */
    double (*weight)[4];                 /* (components + 1): from, to, begin, length */
    /* an update */
    int64_t *index;           /* (batch) */
    void *noise_next, *noise; /* (batch, actions) */
    double *log_pi, *value;   /* (batch) */
    double *w;                /* (heads) weights of this update */
    double alpha;
    vdi__sacd_space *space;
    /* an action */
    void *act_x, *act_h[VDI__MLP_LAYERS];
    /* the state */
    vdi_state state;
    vdi_named_tensor *tensor;
    char (*name)[VDI_PARAM_NAME];
    vdi_meta meta[VDI__SACD_META];
    char meta_text[VDI__SACD_META][VDI__SACD_META_TEXT];
    bool suspect;
};

static const char *const vdi__sacd_algos[] = {"sac-d", "sac-d-naive", "sac-d-cagrad", "sac"};

VDI__DEF const char *vdi_sacd_algo_name(vdi_sacd_algo algo) {
    return (unsigned)algo <= VDI_SACD_SAC ? vdi__sacd_algos[algo] : "?";
}
VDI__DEF bool vdi_sacd_algo_find(const char *name, vdi_sacd_algo *out) {
    for (int i = 0; i <= VDI_SACD_SAC; i++) {
        if (!strcmp(name, vdi__sacd_algos[i])) {
            *out = (vdi_sacd_algo)i;
            return true;
        }
    }
    return false;
}

VDI__DEF vdi_sacd_desc vdi_sacd_desc_defaults(void) {
    vdi_sacd_desc d = VDI__ZERO;
    d.layers = 2;
    d.hidden[0] = d.hidden[1] = 256;
    d.batch = 256;
    d.capacity = 1000000;
    d.start = 1000;
    d.update_every = 1;
    d.rate = d.last_rate = 3e-4;
    d.tau = 0.005;
    d.gamma = 0.99;
    d.cagrad_c = 0.5;
    d.has_cagrad_c = true;
    return d;
}

VDI__FN vdi_sacd_desc vdi__sacd_filled(const vdi_sacd_desc *desc) {
    vdi_sacd_desc d = vdi_sacd_desc_defaults(), r = *desc;
    if (r.layers == 0) r.layers = d.layers;
    for (int l = 0; l < r.layers && l < VDI_MLP_LAYERS; l++)
        if (r.hidden[l] == 0) r.hidden[l] = d.hidden[0];
    if (r.batch == 0) r.batch = d.batch;
    if (r.capacity == 0) r.capacity = d.capacity;
    if (r.start == 0) r.start = d.start;
    if (r.update_every == 0) r.update_every = d.update_every;
    if (r.rate == 0) r.rate = d.rate;
    if (r.last_rate == 0) r.last_rate = r.rate;
    if (r.tau == 0) r.tau = d.tau;
    if (r.gamma == 0) r.gamma = d.gamma;
    if (!r.has_target_entropy) r.target_entropy = -(double)r.actions;
    r.has_target_entropy = true;
    if (!r.has_cagrad_c) r.cagrad_c = d.cagrad_c;
    r.has_cagrad_c = true;
    return r;
}

VDI__FN vdi_critic_desc vdi__sacd_critic_desc(const vdi_sacd_desc *d) {
    vdi_critic_desc c = VDI__ZERO;
    c.observations = d->observations;
    c.actions = d->actions;
    c.heads = d->algo == VDI_SACD_SAC ? 1 : d->components + 1;
    c.layers = d->layers;
    memcpy(c.hidden, d->hidden, sizeof c.hidden);
    c.batch = d->batch;
    c.rate = d->rate;
    c.tau = d->tau;
    c.gradient = d->algo == VDI_SACD_CAGRAD ? VDI_CRITIC_CAGRAD : VDI_CRITIC_MEAN;
    c.cagrad_c = d->cagrad_c;
    c.has_cagrad_c = true;
    c.dtype = d->dtype;
    c.seed = d->seed;
    c.pool = d->pool;
    c.allocator = d->allocator;
    return c;
}

VDI__DEF vdi_status vdi_sacd_desc_check(const vdi_sacd_desc *desc, vdi_error *err) {
    vdi_sacd_desc d = vdi__sacd_filled(desc);
    const char *field = NULL;
    double value = 0;
    if ((unsigned)d.algo > VDI_SACD_SAC) {
        field = "algo";
        value = d.algo;
    } else if (d.observations < 1 || d.observations > VDI_ENV_MAX_OBSERVATIONS) {
        field = "observations";
        value = (double)d.observations;
    } else if (d.actions < 1 || d.actions > VDI_ENV_MAX_ACTIONS) {
        field = "actions";
        value = (double)d.actions;
    } else if (d.components < 1 || d.components > VDI_ENV_MAX_COMPONENTS) {
        field = "components";
        value = (double)d.components;
    } else if (d.capacity < 1) {
        field = "capacity";
        value = (double)d.capacity;
    } else if (d.start < 1) {
        field = "start";
        value = (double)d.start;
    } else if (d.update_every < 1) {
        field = "update_every";
        value = (double)d.update_every;
    } else if (!(d.last_rate > 0 && d.last_rate < 1e6)) {
        field = "last_rate";
        value = d.last_rate;
    } else if (d.rate_updates < 0) {
        field = "rate_updates";
        value = (double)d.rate_updates;
    } else if (d.rate_hold < 0) {
        field = "rate_hold";
        value = (double)d.rate_hold;
    } else if (!(d.gamma > 0 && d.gamma <= 1)) {
        field = "gamma";
        value = d.gamma;
    } else if (!(fabs(d.target_entropy) < 1e6)) {
        field = "target_entropy";
        value = d.target_entropy;
    } else if (!(fabs(d.log_alpha) < 40)) {
        field = "log_alpha";
        value = d.log_alpha;
    }
    for (int64_t i = 0; !field && d.weights && i <= d.components; i++) {
        if (!(fabs(d.weights[i]) < 1e6)) {
            field = "weights";
            value = d.weights[i];
        }
    }
    if (field) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_sacd_desc", "%s is %g: out of range",
                             field, value);
    }
    vdi_critic_desc c = vdi__sacd_critic_desc(&d);
    return vdi_critic_desc_check(&c, err);
}

VDI__FN bool vdi__sacd_space_init(vdi_sacd *g, vdi__sacd_space *s) {
    const size_t size = vdi_dtype_size(g->desc.dtype);
    const size_t rows = (size_t)g->critic->chunk;
    const size_t actions = (size_t)g->desc.actions;
    bool ok = true;
    s->x = vdi_arena_calloc(&g->arena, rows * g->critic->net.width[0] * size);
    s->sd = vdi_arena_calloc(&g->arena, rows * actions * size);
    s->u = vdi_arena_calloc(&g->arena, rows * actions * size);
    s->softplus = vdi_arena_calloc(&g->arena, rows * actions * size);
    s->da = vdi_arena_calloc(&g->arena, rows * actions * size);
    s->composite = (double *)vdi_arena_calloc(&g->arena, rows * sizeof(double));
    for (int l = 0; l < g->net.layers; l++) {
        s->h[l] = vdi_arena_calloc(&g->arena, rows * g->net.width[l + 1] * size);
        ok = ok && s->h[l];
    }
    return ok && s->x && s->sd && s->u && s->softplus && s->da && s->composite;
}

VDI__FN bool vdi__sacd_memory(vdi_sacd *g) {
    const vdi_sacd_desc *d = &g->desc;
    const size_t batch = (size_t)d->batch;
    const size_t size = vdi_dtype_size(d->dtype);
    const size_t actions = (size_t)d->actions;
    const size_t names = (size_t)g->net.layers * 2 * (3 + 8) + 8;
    const int workers = vdi_pool_threads(d->pool);
    g->weight =
        (double(*)[4])vdi_arena_calloc(&g->arena, (size_t)(d->components + 1) * sizeof *g->weight);
    g->index = (int64_t *)vdi_arena_calloc(&g->arena, batch * sizeof *g->index);
    g->noise_next = vdi_arena_calloc(&g->arena, batch * actions * size);
    g->noise = vdi_arena_calloc(&g->arena, batch * actions * size);
    g->log_pi = (double *)vdi_arena_calloc(&g->arena, batch * sizeof(double));
    g->value = (double *)vdi_arena_calloc(&g->arena, batch * sizeof(double));
    g->w = (double *)vdi_arena_calloc(&g->arena, (size_t)(d->components + 1) * sizeof(double));
    g->space = (vdi__sacd_space *)vdi_arena_calloc(&g->arena, (size_t)workers * sizeof *g->space);
    g->act_x = vdi_arena_calloc(&g->arena, g->net.width[0] * size);
    g->tensor = (vdi_named_tensor *)vdi_arena_calloc(&g->arena, names * sizeof *g->tensor);
    g->name = (char(*)[VDI_PARAM_NAME])vdi_arena_calloc(&g->arena, names * sizeof *g->name);
    bool ok = g->weight && g->index && g->noise_next && g->noise && g->log_pi && g->value && g->w &&
              g->space && g->act_x && g->tensor && g->name;
    for (int l = 0; l < g->net.layers; l++) {
        g->act_h[l] = vdi_arena_calloc(&g->arena, g->net.width[l + 1] * size);
        ok = ok && g->act_h[l];
    }
    for (int i = 0; ok && i < workers; i++)
        ok = vdi__sacd_space_init(g, &g->space[i]);
    return ok && vdi__learner_init(&g->policy, &g->net, &g->arena, batch, false);
}

VDI__DEF vdi_status vdi_sacd_create(const vdi_sacd_desc *desc, vdi_sacd **out, vdi_error *err) {
    *out = NULL;
    vdi_status status = vdi_sacd_desc_check(desc, err);
    if (status < 0) return status;
    vdi_sacd *g = (vdi_sacd *)vdi_alloc(desc->allocator, sizeof *g);
    if (!g) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_sacd_create", "no memory");
    memset(g, 0, sizeof *g);
    g->desc = vdi__sacd_filled(desc);
    g->allocator = vdi_allocator_defaults(desc->allocator);
    vdi_arena_init(&g->arena, &g->allocator, (size_t)1 << 20);
    vdi_replay_desc rd = VDI__ZERO;
    rd.capacity = g->desc.capacity;
    rd.observations = g->desc.observations;
    rd.actions = g->desc.actions;
    rd.components = g->desc.components;
    rd.allocator = &g->allocator;
    vdi_critic_desc cd = vdi__sacd_critic_desc(&g->desc);
    cd.allocator = &g->allocator;
    g->heads = cd.heads;
    status = vdi_replay_create(&rd, &g->replay, err);
    if (status >= 0) status = vdi_critic_create(&cd, &g->critic, err);
    if (status >= 0) {
        vdi__mlp_init(&g->net, g->desc.dtype, g->desc.observations, g->desc.layers, g->desc.hidden,
                      2 * g->desc.actions);
        if (!vdi__sacd_memory(g)) {
            status =
                vdi_error_set(err, VDI_ERR_MEMORY, "vdi_sacd_create", "no memory for the policy");
        }
    }
    if (status < 0) {
        vdi_sacd_destroy(g);
        return status;
    }
    vdi_rng rng = vdi_rng_make(g->desc.seed, (uint64_t)VDI__SACD_INIT << 56 | 3);
    vdi__mlp_draw(&g->net, g->policy.value, &rng, 1);
    g->policy.x = g->critic->x; /* rows begin with the observation */
    g->policy.ldx = g->critic->net.width[0];
    g->log_alpha[0] = g->desc.log_alpha;
    for (int64_t i = 0; i <= g->desc.components; i++)
        g->weight[i][0] = g->weight[i][1] = desc->weights ? desc->weights[i] : 1;
    g->desc.weights = NULL;
    g->desc.allocator = NULL;
    *out = g;
    return VDI_OK;
}

VDI__DEF void vdi_sacd_destroy(vdi_sacd *g) {
    if (!g) return;
    vdi_allocator a = g->allocator;
    vdi_critic_destroy(g->critic);
    vdi_replay_destroy(g->replay);
    vdi_arena_free(&g->arena);
    vdi_free(&a, g, sizeof *g);
}

VDI__DEF const vdi_sacd_desc *vdi_sacd_get_desc(const vdi_sacd *g) { return &g->desc; }
VDI__DEF vdi_critic *vdi_sacd_critic(vdi_sacd *g) { return g->critic; }
VDI__DEF vdi_replay *vdi_sacd_replay(vdi_sacd *g) { return g->replay; }
VDI__DEF int64_t vdi_sacd_steps(const vdi_sacd *g) { return g->counter[VDI__SACD_STEPS]; }
VDI__DEF int64_t vdi_sacd_updates(const vdi_sacd *g) { return g->counter[VDI__SACD_UPDATES]; }
VDI__DEF double vdi_sacd_alpha(const vdi_sacd *g) { return exp(g->log_alpha[0]); }

/* ---- weights --------------------------------------------------------------------------------- */

VDI__FN double vdi__sacd_weight(const vdi_sacd *g, int64_t i) {
    const double *p = g->weight[i], k = (double)g->counter[VDI__SACD_STEPS] - p[2];
    return k <= 0 ? p[0] : k >= p[3] ? p[1] : p[0] + (p[1] - p[0]) * (k / p[3]);
}

VDI__DEF void vdi_sacd_weights(const vdi_sacd *g, double *weights) {
    for (int64_t i = 0; i <= g->desc.components; i++)
        weights[i] = vdi__sacd_weight(g, i);
}

VDI__DEF vdi_status vdi_sacd_schedule_weight(vdi_sacd *g, int64_t component, double from, double to,
                                             int64_t begin, int64_t length, vdi_error *err) {
    if (component < 0 || component > g->desc.components || !(fabs(from) < 1e6) ||
        !(fabs(to) < 1e6) || length < 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_sacd_schedule_weight",
                             "component %lld from %g to %g over %lld steps: expected one of "
                             "0..%lld, and finite weights",
                             (long long)component, from, to, (long long)length,
                             (long long)g->desc.components);
    }
    double *p = g->weight[component];
    p[0] = from;
    p[1] = to;
    p[2] = (double)begin;
    p[3] = (double)length;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_sacd_set_weights(vdi_sacd *g, const double *weights, vdi_error *err) {
    for (int64_t i = 0; i <= g->desc.components; i++) {
        if (!(fabs(weights[i]) < 1e6)) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_sacd_set_weights",
                                 "weight %lld is %g: out of range", (long long)i, weights[i]);
        }
    }
    for (int64_t i = 0; i <= g->desc.components; i++)
        (void)vdi_sacd_schedule_weight(g, i, weights[i], weights[i], 0, 0, NULL);
    return VDI_OK;
}

/* ---- acting ---------------------------------------------------------------------------------- */

VDI__FN vdi_rng vdi__sacd_rng(const vdi_sacd *g, int what, int64_t count) {
    return vdi_rng_make(g->desc.seed, (uint64_t)what << 56 | (uint64_t)count);
}

VDI__FN double vdi__log_sd(double raw) {
    return raw < VDI__LOG_SD_MIN ? VDI__LOG_SD_MIN : raw > VDI__LOG_SD_MAX ? VDI__LOG_SD_MAX : raw;
}

/* tanh of the mean, or of a sample drawn from rng; returns log pi of it (0 for the mean). */
VDI__FN double vdi__sacd_draw(vdi_sacd *g, const float *obs, vdi_rng *rng, float *action) {
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions;
    const void *x = obs;
    double log_pi = 0;
    if (t != VDI_F32) {
        for (size_t i = 0; i < g->net.width[0]; i++)
            vdi__store(t, g->act_x, i, (double)obs[i]);
        x = g->act_x;
    }
    vdi__mlp_forward(&g->net, g->policy.value, 1, x, g->net.width[0], g->act_h);
    const void *out = g->act_h[g->net.layers - 1];
    for (size_t k = 0; k < actions; k++) {
        double u = vdi__load(t, out, k);
        if (rng) {
            const double log_sd = vdi__log_sd(vdi__load(t, out, actions + k));
            const double e = vdi_rng_normal(rng);
            u += exp(log_sd) * e;
            const double v = -2 * u, softplus = v > 30 ? v : log1p(exp(v));
            log_pi -= 0.5 * VDI_LOG_2PI + 0.5 * e * e + log_sd + 2 * (VDI__LOG_2 - u - softplus);
        }
        action[k] = (float)tanh(u);
    }
    return log_pi;
}

VDI__DEF void vdi_sacd_act(vdi_sacd *g, const float *obs, bool deterministic, float *action) {
    vdi_rng rng;
    if (!deterministic) rng = vdi__sacd_rng(g, VDI__SACD_ACT, g->counter[VDI__SACD_ACTS]++);
    (void)vdi__sacd_draw(g, obs, deterministic ? NULL : &rng, action);
}

VDI__DEF void vdi_sacd_policy(vdi_sacd *g, int64_t n, const void *obs, void *action, void *log_sd) {
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions;
    vdi__sacd_space *s = &g->space[0];
    for (int64_t at = 0; at < n; at += g->critic->chunk) {
        const size_t rows = (size_t)VDI__MIN(g->critic->chunk, n - at);
        const size_t first = (size_t)at * actions;
        const void *out = s->h[g->net.layers - 1];
        vdi__mlp_forward(&g->net, g->policy.value, rows,
                         vdi__part(t, obs, (size_t)at * g->net.width[0]), g->net.width[0], s->h);
        for (size_t b = 0; b < rows; b++) {
            for (size_t k = 0; k < actions; k++) {
                vdi__store(t, action, first + b * actions + k,
                           tanh(vdi__load(t, out, b * 2 * actions + k)));
                if (log_sd) {
                    vdi__store(t, log_sd, first + b * actions + k,
                               vdi__log_sd(vdi__load(t, out, (b * 2 + 1) * actions + k)));
                }
            }
        }
    }
}

VDI__DEF void vdi_sacd_explore(vdi_sacd *g, const float *obs, float *action) {
    if (g->counter[VDI__SACD_STEPS] >= g->desc.start) {
        vdi_sacd_act(g, obs, false, action);
        return;
    }
    vdi_rng rng = vdi__sacd_rng(g, VDI__SACD_ACT, g->counter[VDI__SACD_ACTS]++);
    for (int64_t k = 0; k < g->desc.actions; k++)
        action[k] = (float)(2 * vdi_rng_uniform(&rng) - 1);
}

VDI__DEF vdi_status vdi_sacd_observe(vdi_sacd *g, const float *obs, const float *action,
                                     const float *reward, const float *next, int end,
                                     vdi_error *err) {
    vdi_status status = vdi_replay_add(g->replay, obs, action, reward, next, end, err);
    if (status >= 0) g->counter[VDI__SACD_STEPS]++;
    return status;
}

VDI__DEF bool vdi_sacd_due(const vdi_sacd *g) {
    return g->counter[VDI__SACD_STEPS] >= g->desc.start &&
           g->counter[VDI__SACD_STEPS] % g->desc.update_every == 0;
}

/* ---- one update ------------------------------------------------------------------------------ */

/* Sample a = tanh(u), u = mean + sd eps: actions go behind the observations of x (n,inputs); log
   pi (n) = sum log N(eps) - log sd - log(1 - a^2), the last as 2 (log 2 - u - softplus(-2u)), exact
   for every u. */
VDI__FN void vdi__sacd_sample(const vdi_sacd *g, vdi__sacd_space *s, size_t n, const void *out,
                              const void *eps, void *x, double *log_pi) {
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions;
    const size_t observations = (size_t)g->desc.observations;
    const size_t count = n * actions;
    for (size_t b = 0; b < n; b++) {
        double sum = -0.5 * VDI_LOG_2PI * (double)actions;
        for (size_t k = 0; k < actions; k++) {
            const double log_sd = vdi__log_sd(vdi__load(t, out, (b * 2 + 1) * actions + k));
            const double e = vdi__load(t, eps, b * actions + k);
            sum -= log_sd + 0.5 * e * e;
            vdi__store(t, s->sd, b * actions + k, log_sd);
        }
        log_pi[b] = sum;
    }
    vdi_exp(t, count, s->sd, s->sd);
    for (size_t b = 0; b < n; b++) {
        for (size_t k = 0; k < actions; k++) {
            const size_t i = b * actions + k;
            const double u = vdi__load(t, out, b * 2 * actions + k) +
                             vdi__load(t, s->sd, i) * vdi__load(t, eps, i);
            vdi__store(t, s->u, i, u);
            vdi__store(t, s->softplus, i, -2 * u);
        }
    }
    vdi_softplus(t, count, s->softplus, s->softplus);
    for (size_t b = 0; b < n; b++) {
        for (size_t k = 0; k < actions; k++) {
            const size_t i = b * actions + k;
            log_pi[b] -= 2 * (VDI__LOG_2 - vdi__load(t, s->u, i) - vdi__load(t, s->softplus, i));
        }
    }
    vdi_tanh(t, count, s->u, s->u);
    for (size_t b = 0; b < n; b++) {
        memcpy(vdi__part(t, x, b * (observations + actions) + observations),
               vdi__part(t, s->u, b * actions), actions * vdi_dtype_size(t));
    }
}

/* float32 of the replay buffer into the agent's dtype */
VDI__FN void vdi__sacd_take(vdi_dtype t, size_t n, const float *from, void *to) {
    if (t == VDI_F32) {
        memcpy(to, from, n * sizeof *from);
    } else {
        for (size_t i = 0; i < n; i++)
            ((double *)to)[i] = (double)from[i];
    }
}

VDI__FN void vdi__sacd_y(const vdi_sacd *g, double alpha, const float *reward, int end,
                         const double *q, double log_pi, double *y) {
    const int64_t m = g->desc.components;
    const bool terminal = (end & VDI_ENV_TERMINATED) != 0;
    const double keep = terminal ? 0 : g->desc.gamma;
    const double entropy =
        (terminal && g->desc.entropy_at_terminals ? g->desc.gamma : keep) * -alpha * log_pi;
    if (g->desc.algo == VDI_SACD_SAC) {
        y[0] = entropy + keep * q[0];
        for (int64_t i = 0; i < m; i++)
            y[0] += vdi__sacd_weight(g, i) * (double)reward[i];
        return;
    }
    for (int64_t i = 0; i < m; i++)
        y[i] = (double)reward[i] + keep * q[i];
    y[m] = entropy + keep * q[m];
}

VDI__DEF void vdi_sacd_target(const vdi_sacd *g, const float *reward, int end, const double *q,
                              double log_pi, double *y) {
    vdi__sacd_y(g, vdi_sacd_alpha(g), reward, end, q, log_pi, y);
}

typedef struct vdi__sacd_jobs {
    vdi_sacd *g;
    vdi__critic_jobs critic;
    vdi__adam adam; /* of the policy */
} vdi__sacd_jobs;

/* A chunk of the batch through everything that is row by row: gather, targets, critics, policy, and
 * the cotangents of all three nets. */
VDI__FN void vdi__sacd_rows_job(int64_t index, int worker, void *user) {
    vdi__sacd_jobs *jobs = (vdi__sacd_jobs *)user;
    vdi_sacd *g = jobs->g;
    vdi_critic *c = g->critic;
    vdi__sacd_space *s = &g->space[worker];
    vdi__critic_space *cs = &c->space[worker];
    const vdi_dtype t = g->desc.dtype;
    const size_t batch = (size_t)g->desc.batch;
    const size_t at = (size_t)(index * c->chunk);
    const size_t n = VDI__MIN((size_t)c->chunk, batch - at);
    const size_t observations = (size_t)g->desc.observations;
    const size_t actions = (size_t)g->desc.actions;
    const size_t inputs = observations + actions;
    const size_t heads = (size_t)g->heads;
    const int top = g->net.layers - 1, ctop = c->net.layers - 1;
    const vdi_critic_rule rule =
        g->desc.algo == VDI_SACD_NAIVE ? VDI_CRITIC_ELEMENTWISE : VDI_CRITIC_COMPOSITE;
    void *x = vdi__part(t, c->x, at * inputs), *y = vdi__part(t, c->y, at * heads);
    const void *noise = vdi__part(t, g->noise, at * actions);
    double *log_pi = g->log_pi + at;
    /* targets */
    for (size_t b = 0; b < n; b++) {
        vdi_transition r = vdi_replay_get(g->replay, g->index[at + b]);
        vdi__sacd_take(t, inputs, r.obs, vdi__part(t, x, b * inputs));
        vdi__sacd_take(t, observations, r.next, vdi__part(t, s->x, b * inputs));
    }
    vdi__mlp_forward(&g->net, g->policy.value, n, s->x, inputs, s->h);
    vdi__sacd_sample(g, s, n, s->h[top], vdi__part(t, g->noise_next, at * actions), s->x, log_pi);
    vdi__critic_twins(c, cs, VDI_CRITIC_TARGET, n, s->x);
    vdi_critic_minimum(t, rule, (int64_t)n, g->heads, g->w, cs->h[0][ctop], cs->h[1][ctop],
                       cs->dz[ctop], NULL, NULL);
    for (size_t b = 0; b < n; b++) {
        vdi_transition r = vdi_replay_get(g->replay, g->index[at + b]);
        double q[VDI_CRITIC_HEADS], target[VDI_CRITIC_HEADS];
        for (size_t i = 0; i < heads; i++)
            q[i] = vdi__load(t, cs->dz[ctop], b * heads + i);
        vdi__sacd_y(g, g->alpha, r.reward, r.end, q, log_pi[b], target);
        for (size_t i = 0; i < heads; i++)
            vdi__store(t, y, b * heads + i, target[i]);
    }
    /* critics */
    for (int j = 0; j < 2; j++)
        vdi__critic_rows(c, j, at, n, batch);
    /* policy: its rows of x begin with the same observations */
    void *h[VDI__MLP_LAYERS], *dz[VDI__MLP_LAYERS];
    vdi__learner_rows(&g->policy, at, h, dz);
    vdi__mlp_forward(&g->net, g->policy.value, n, x, inputs, h);
    memcpy(s->x, x, n * inputs * vdi_dtype_size(t));
    vdi__sacd_sample(g, s, n, h[top], noise, s->x, log_pi);
    vdi__critic_twins(c, cs, 0, n, s->x);
    vdi_critic_minimum(t, rule, (int64_t)n, g->heads, g->w, cs->h[0][ctop], cs->h[1][ctop], NULL,
                       g->value + at, cs->from);
    vdi__critic_slope(c, cs, rule, n, g->w, s->da);
    /* d L / d u = (2 alpha a - (1 - a^2) dQ/da) / batch; the density's own -log sd adds -alpha /
     * batch */
    for (size_t b = 0; b < n; b++) {
        for (size_t k = 0; k < actions; k++) {
            const double a = vdi__load(t, s->u, b * actions + k);
            const double q = vdi__load(t, s->da, b * actions + k);
            const double du = (2 * g->alpha * a - (1 - a * a) * q) / (double)batch;
            const double raw = vdi__load(t, h[top], (b * 2 + 1) * actions + k);
            const double ds =
                du * vdi__load(t, s->sd, b * actions + k) * vdi__load(t, noise, b * actions + k) -
                g->alpha / (double)batch;
            vdi__store(t, dz[top], b * 2 * actions + k, du);
            vdi__store(t, dz[top], (b * 2 + 1) * actions + k,
                       raw < VDI__LOG_SD_MIN || raw > VDI__LOG_SD_MAX ? 0 : ds);
        }
    }
    vdi__mlp_backward(&g->net, g->policy.value, top, n, h, dz);
}

/* The weights' gradients of twin, twin, policy; then their steps. */
VDI__FN vdi__learner *vdi__sacd_learner(vdi_sacd *g, int64_t index) {
    return index % 3 < 2 ? &g->critic->twin[index % 3] : &g->policy;
}
VDI__FN void vdi__sacd_grad_job(int64_t index, int worker, void *user) {
    vdi_sacd *g = ((vdi__sacd_jobs *)user)->g;
    vdi__learner *e = vdi__sacd_learner(g, index);
    (void)worker;
    if (index / 3 < e->net->slices) vdi__learner_grad(e, (size_t)g->desc.batch, (int)(index / 3));
}
VDI__FN void vdi__sacd_step_job(int64_t index, int worker, void *user) {
    vdi__sacd_jobs *jobs = (vdi__sacd_jobs *)user;
    vdi__learner *e = vdi__sacd_learner(jobs->g, index);
    (void)worker;
    if (index / 3 < vdi__learner_pieces(e))
        vdi__learner_step(e, index % 3 < 2 ? &jobs->critic.adam : &jobs->adam, (int)(index / 3));
}

VDI__FN vdi_status vdi__sacd_sound(vdi_sacd *g, const char *where, vdi_error *err) {
    if (!g->suspect) return VDI_OK;
    const double *la = g->log_alpha;
    vdi_status status = vdi__critic_sound(g->critic, where, err);
    if (status < 0) return status;
    if (!vdi__learner_sound(&g->policy)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "the state of the policy holds numbers that are not finite");
    }
    if (!(fabs(la[0]) < 700 && la[1] - la[1] == 0 && la[2] >= 0 && la[2] - la[2] == 0)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "the state of the temperature is not finite");
    }
    for (int i = 0; i < VDI__SACD_COUNTERS; i++) {
        if (g->counter[i] < 0) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, where, "a counter of the state is %lld",
                                 (long long)g->counter[i]);
        }
    }
    for (int64_t i = 0; i <= g->desc.components; i++) {
        if (!(fabs(g->weight[i][0]) < 1e6 && fabs(g->weight[i][1]) < 1e6 &&
              fabs(g->weight[i][2]) < 1e18 && g->weight[i][3] >= 0)) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                                 "weight %lld of the state is not finite", (long long)i);
        }
    }
    const vdi_tensor past = vdi_replay_tensor(g->replay);
    for (int64_t k = 0; k < past.shape[0]; k++) {
        const float *record = (const float *)past.data + k * past.shape[1];
        const float end = record[past.shape[1] - 1];
        if (!vdi__all_finite(record, past.shape[1]) || end < 0 ||
            end > (VDI_ENV_TERMINATED | VDI_ENV_TRUNCATED)) {
            return vdi_error_set(
                err, VDI_ERR_NUMERIC, where,
                "transition %lld of the state is not finite, or ends in a way that is unknown",
                (long long)k);
        }
    }
    g->suspect = false;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_sacd_update(vdi_sacd *g, vdi_sacd_stats *stats, vdi_error *err) {
    static const char where[] = "vdi_sacd_update";
    const vdi_sacd_desc *d = &g->desc;
    vdi_critic *c = g->critic;
    const int64_t count = vdi_replay_count(g->replay), update = g->counter[VDI__SACD_UPDATES];
    if (count < 1)
        return vdi_error_set(err, VDI_ERR_STATE, where, "there is no transition to learn from");
    vdi_status status = vdi__sacd_sound(g, where, err);
    if (status < 0) return status;
    vdi__sacd_jobs jobs;
    const double beyond = (double)VDI__MAX(update - d->rate_hold, 0);
    const double along = d->rate_updates > 0 ? VDI__MIN(beyond / (double)d->rate_updates, 1.0) : 0;
    const double rate = d->rate + (d->last_rate - d->rate) * along;
    jobs.g = g;
    jobs.critic.c = c;
    jobs.critic.batch = (size_t)d->batch;
    jobs.critic.chunks = (d->batch + c->chunk - 1) / c->chunk;
    jobs.critic.adam = vdi__adam_at(rate, 0.9, 0.999, 1e-8, update + 1, d->tau);
    jobs.adam = jobs.critic.adam;
    /* all that is random, before the work is shared out */
    vdi_rng rng = vdi__sacd_rng(g, VDI__SACD_SAMPLE, update);
    for (int64_t b = 0; b < d->batch; b++)
        g->index[b] = (int64_t)vdi_rng_below(&rng, (uint64_t)count);
    rng = vdi__sacd_rng(g, VDI__SACD_NEXT, update);
    vdi_rng_fill_normal(&rng, d->dtype, d->batch * d->actions, g->noise_next);
    rng = vdi__sacd_rng(g, VDI__SACD_POLICY, update);
    vdi_rng_fill_normal(&rng, d->dtype, d->batch * d->actions, g->noise);
    g->alpha = vdi_sacd_alpha(g);
    for (int64_t i = 0; i < g->heads; i++)
        g->w[i] = d->algo == VDI_SACD_SAC ? 1 : vdi__sacd_weight(g, i);

    vdi_pool_run(d->pool, jobs.critic.chunks, vdi__sacd_rows_job, &jobs);
    vdi_sacd_stats seen;
    vdi_critic_stats losses;
    double log_pi = 0, value = 0;
    vdi__critic_losses(c, jobs.critic.batch, &losses);
    for (int64_t b = 0; b < d->batch; b++) {
        log_pi += g->log_pi[b];
        value += g->value[b];
    }
    log_pi /= (double)d->batch;
    value /= (double)d->batch;
    if (d->algo == VDI_SACD_CAGRAD) vdi__critic_avert(c, &jobs.critic);
    vdi_pool_run(d->pool, 3 * VDI__MAX(c->net.slices, g->net.slices), vdi__sacd_grad_job, &jobs);
    const double critics = vdi__learner_squares(&c->twin[0]) + vdi__learner_squares(&c->twin[1]);
    const double policy = vdi__learner_squares(&g->policy);
    if (!vdi__gradient_ok(critics) || !vdi__gradient_ok(policy) || !(fabs(log_pi) < 1e18)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "update %lld: the gradient of the %s is not finite, or as long as %g",
                             (long long)update, vdi__gradient_ok(critics) ? "policy" : "critics",
                             sqrt(vdi__gradient_ok(critics) ? policy : critics));
    }
    vdi_pool_run(d->pool,
                 3 * VDI__MAX(vdi__learner_pieces(&c->twin[0]), vdi__learner_pieces(&g->policy)),
                 vdi__sacd_step_job, &jobs);
    if (!d->fixed_alpha) {
        double *la = g->log_alpha;
        const double gradient = -g->alpha * (log_pi + d->target_entropy);
        la[1] = 0.9 * la[1] + 0.1 * gradient;
        la[2] = 0.999 * la[2] + 0.001 * gradient * gradient;
        la[0] -= jobs.adam.step * la[1] / (sqrt(la[2]) + jobs.adam.eps);
        la[0] = VDI__MAX(VDI__MIN(la[0], 40.0), -40.0);
    }
    c->fits++;
    g->counter[VDI__SACD_UPDATES]++;
    if (stats) {
        memset(&seen, 0, sizeof seen);
        for (int64_t i = 0; i < g->heads; i++)
            seen.loss[i] = losses.loss[i];
        seen.critic_gradient = sqrt(critics);
        seen.policy_gradient = sqrt(policy);
        seen.policy_loss = g->alpha * log_pi - value;
        seen.value = value;
        seen.entropy = -log_pi;
        seen.alpha = g->alpha;
        *stats = seen;
    }
    return VDI_OK;
}

/* ---- in an environment ----------------------------------------------------------------------- */

VDI__FN vdi_status vdi__sacd_fits(const vdi_sacd *g, const vdi_env *env, vdi_error *err) {
    const vdi_sacd_desc *d = &g->desc;
    if (env->observations == d->observations && env->actions == d->actions &&
        env->components == d->components)
        return VDI_OK;
    return vdi_error_set(err, VDI_ERR_SHAPE, "vdi_sacd_step",
                         "the agent has %lld observations, %lld actions, %lld components, the "
                         "environment %lld, %lld, %lld",
                         (long long)d->observations, (long long)d->actions,
                         (long long)d->components, (long long)env->observations,
                         (long long)env->actions, (long long)env->components);
}

/* One step of the environment into `next`, with the time limit held; sums go on. */
VDI__FN vdi_status vdi__sacd_env_step(vdi_env *env, vdi_sacd_episode *e, float *next,
                                      vdi_error *err) {
    int end = 0;
    vdi_status status = vdi_env_step(env, e->action, next, e->reward, &end, err);
    if (status < 0) {
        e->running = false;
        return status;
    }
    e->steps++;
    if (env->limit > 0 && e->steps >= env->limit && !end) end = VDI_ENV_TRUNCATED;
    for (int64_t i = 0; i < env->components; i++)
        e->sum[i] += (double)e->reward[i];
    e->end = end;
    return VDI_OK;
}

VDI__FN vdi_status vdi__sacd_env_begin(vdi_env *env, uint64_t seed, vdi_sacd_episode *e,
                                       vdi_error *err) {
    e->steps = 0;
    e->end = 0;
    memset(e->sum, 0, sizeof e->sum);
    vdi_status status = vdi_env_reset(env, seed, (uint64_t)e->index, e->obs, err);
    e->running = status >= 0;
    return status;
}

VDI__DEF vdi_status vdi_sacd_step(vdi_sacd *g, vdi_env *env, vdi_sacd_episode *e,
                                  vdi_sacd_stats *stats, vdi_error *err) {
    float next[VDI_ENV_MAX_OBSERVATIONS];
    vdi_status status = vdi__sacd_fits(g, env, err);
    if (status >= 0 && (!e->running || e->end)) {
        if (e->running) e->index++;
        status = vdi__sacd_env_begin(env, g->desc.seed, e, err);
    }
    if (status < 0) return status;
    vdi_sacd_explore(g, e->obs, e->action);
    status = vdi__sacd_env_step(env, e, next, err);
    if (status >= 0) status = vdi_sacd_observe(g, e->obs, e->action, e->reward, next, e->end, err);
    if (status < 0) return status;
    memcpy(e->obs, next, (size_t)env->observations * sizeof *next);
    return vdi_sacd_due(g) ? vdi_sacd_update(g, stats, err) : VDI_OK;
}

VDI__DEF vdi_status vdi_sacd_play(vdi_sacd *g, vdi_env *env, uint64_t seed, uint64_t episode,
                                  double *sums, int64_t *steps, vdi_error *err) {
    vdi_sacd_episode e = VDI__ZERO;
    e.index = (int64_t)episode;
    vdi_status status = vdi__sacd_fits(g, env, err);
    if (status >= 0) status = vdi__sacd_env_begin(env, seed, &e, err);
    while (status >= 0 && !e.end) {
        vdi_sacd_act(g, e.obs, true, e.action);
        status = vdi__sacd_env_step(env, &e, e.obs, err);
    }
    for (int64_t i = 0; sums && i < env->components; i++)
        sums[i] = e.sum[i];
    if (steps) *steps = e.steps;
    return status;
}

/* ---- the state ------------------------------------------------------------------------------- */

VDI__FN void vdi__sacd_add(vdi_sacd *g, const char *name, vdi_tensor t) {
    vdi_named_tensor *n = &g->tensor[g->state.tensor_count++];
    n->name = name;
    n->tensor = t;
}

VDI__FN void vdi__sacd_note(vdi_sacd *g, const char *key, double value) {
    vdi_meta *m = &g->meta[g->state.meta_count];
    char *text = g->meta_text[g->state.meta_count++];
    (void)vdi_text_double(text, value, 0);
    m->key = key;
    m->value = text;
}

/* The numbers of a description that are saved, in one list for writing and reading. */
typedef struct vdi__sacd_number {
    const char *key;
    int64_t *whole; /* or */
    double *real;   /* or */
    bool *flag;
} vdi__sacd_number;
VDI__FN int vdi__sacd_numbers(vdi_sacd_desc *d, vdi__sacd_number *list) {
    int n = 0;
#define VDI__X(kind, field)                                                               \
    list[n].key = #field, list[n].whole = NULL, list[n].real = NULL, list[n].flag = NULL, \
    list[n++].kind = &d->field
    VDI__X(whole, observations);
    VDI__X(whole, actions);
    VDI__X(whole, components);
    VDI__X(whole, batch);
    VDI__X(whole, capacity);
    VDI__X(whole, start);
    VDI__X(whole, update_every);
    VDI__X(real, rate);
    VDI__X(real, last_rate);
    VDI__X(whole, rate_updates);
    VDI__X(whole, rate_hold);
    VDI__X(real, tau);
    VDI__X(real, gamma);
    VDI__X(real, target_entropy);
    VDI__X(real, log_alpha);
    VDI__X(flag, fixed_alpha);
    VDI__X(flag, entropy_at_terminals);
    VDI__X(real, cagrad_c);
#undef VDI__X
    return n;
}

VDI__DEF const vdi_state *vdi_sacd_state(vdi_sacd *g, bool training) {
    static const char *const prefix[3] = {"policy", "policy.m", "policy.v"};
    const void *block[3];
    vdi_sacd_desc *d = &g->desc;
    block[0] = g->policy.value;
    block[1] = g->policy.m;
    block[2] = g->policy.v;
    g->suspect = true;
    g->state.tensors = g->tensor;
    g->state.meta = g->meta;
    g->state.tensor_count = g->state.meta_count = 0;
    for (int kind = 0; kind < (training ? 3 : 1); kind++) {
        vdi__mlp_state(&g->net, block[kind], prefix[kind], g->tensor, g->name,
                       &g->state.tensor_count);
    }
    const vdi_state *c = vdi_critic_state(g->critic, training);
    for (int64_t i = 0; i < c->tensor_count; i++)
        vdi__sacd_add(g, c->tensors[i].name, c->tensors[i].tensor);
    vdi__sacd_add(g, "log_alpha", vdi_tensor_1d(g->log_alpha, VDI_F64, training ? 3 : 1));
    vdi__sacd_add(g, "weights", vdi_tensor_2d(g->weight, VDI_F64, d->components + 1, 4));
    g->counter[VDI__SACD_ADDED] = vdi_replay_added(g->replay);
    vdi__sacd_add(g, "counters", vdi_tensor_1d(g->counter, VDI_I64, VDI__SACD_COUNTERS));
    if (training) vdi__sacd_add(g, "replay", vdi_replay_tensor(g->replay));
    vdi__sacd_number list[VDI__SACD_META];
    const int numbers = vdi__sacd_numbers(d, list);
    for (int i = 0; i < numbers; i++) {
        vdi__sacd_note(g, list[i].key,
                       list[i].whole   ? (double)*list[i].whole
                       : list[i].real  ? *list[i].real
                       : *list[i].flag ? 1
                                       : 0);
    }
    vdi__sacd_note(g, "seed", 0);
    (void)vdi_text_format(g->meta_text[g->state.meta_count - 1], VDI__SACD_META_TEXT, "%lld",
                          (long long)d->seed);
    vdi__sacd_note(g, "hidden", 0);
    char *text = g->meta_text[g->state.meta_count - 1];
    size_t used = 0;
    for (int l = 0; l < d->layers; l++) {
        used += vdi_text_format(text + used, VDI__SACD_META_TEXT - used, l ? ",%lld" : "%lld",
                                (long long)d->hidden[l]);
    }
    vdi__sacd_note(g, "algo", 0);
    g->meta[g->state.meta_count - 1].value = vdi_sacd_algo_name(d->algo);
    vdi__sacd_note(g, "dtype", 0);
    g->meta[g->state.meta_count - 1].value = vdi_dtype_name(d->dtype);
    return &g->state;
}

VDI__DEF void vdi_sacd_expect(vdi_sacd *g, int64_t added) {
    vdi_replay_set_added(g->replay, VDI__MAX(added, 0));
}

VDI__FN const char *vdi__meta_find(const vdi_meta *meta, int64_t count, const char *key) {
    for (int64_t i = 0; i < count; i++)
        if (!strcmp(meta[i].key, key)) return meta[i].value;
    return NULL;
}

VDI__DEF vdi_status vdi_sacd_desc_from_meta(const vdi_meta *meta, int64_t count, vdi_sacd_desc *out,
                                            vdi_error *err) {
    static const char where[] = "vdi_sacd_desc_from_meta";
    vdi__sacd_number list[VDI__SACD_META];
    memset(out, 0, sizeof *out);
    const int numbers = vdi__sacd_numbers(out, list);
    for (int i = 0; i < numbers; i++) {
        const char *text = vdi__meta_find(meta, count, list[i].key);
        double x = 0;
        if (!text || vdi_text_parse_double(text, strlen(text), &x) != strlen(text) ||
            !(fabs(x) < 1e15)) {
            return vdi_error_set(err, VDI_ERR_FORMAT, where,
                                 "expected a number \"%s\" in the metadata, got %s", list[i].key,
                                 text ? text : "nothing");
        }
        if (list[i].whole)
            *list[i].whole = (int64_t)x;
        else if (list[i].real)
            *list[i].real = x;
        else
            *list[i].flag = x != 0;
    }
    out->has_target_entropy = out->has_cagrad_c = true;
    const char *hidden = vdi__meta_find(meta, count, "hidden");
    const char *algo = vdi__meta_find(meta, count, "algo");
    const char *dtype = vdi__meta_find(meta, count, "dtype");
    const char *seed = vdi__meta_find(meta, count, "seed");
    int64_t number;
    if (!algo || !vdi_sacd_algo_find(algo, &out->algo)) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where, "there is no algorithm \"%s\"",
                             algo ? algo : "");
    }
    if (seed && vdi_text_parse_int(seed, strlen(seed), &number) == strlen(seed))
        out->seed = (uint64_t)number;
    out->dtype = dtype && !strcmp(dtype, vdi_dtype_name(VDI_F64)) ? VDI_F64 : VDI_F32;
    for (const char *p = hidden ? hidden : ""; *p;) {
        size_t used = vdi_text_parse_int(p, strlen(p), &number);
        if (!used || out->layers == VDI_MLP_LAYERS || number < 1) {
            return vdi_error_set(err, VDI_ERR_FORMAT, where, "\"%s\" is no list of hidden layers",
                                 hidden);
        }
        out->hidden[out->layers++] = number;
        p += used;
        if (*p == ',') {
            p++;
        } else if (*p) {
            return vdi_error_set(err, VDI_ERR_FORMAT, where, "\"%s\" is no list of hidden layers",
                                 hidden);
        }
    }
    if (out->layers == 0)
        return vdi_error_set(err, VDI_ERR_FORMAT, where, "expected \"hidden\" in the metadata");
    return vdi_sacd_desc_check(out, err);
}
#endif
