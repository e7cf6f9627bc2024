/* model/sacd/sacd.h - SAC-D: a soft actor-critic whose value is split by reward component
 *
 *     y_i = r_i + gamma (1-d) Q_i(s',a')                         of component i = 1..m
 *     y_e = gamma (1-d) (Q_e(s',a') - alpha log pi(a'|s'))       the entropy is component m+1
 *     L_pi = mean(alpha log pi(a|s) - min_j sum_i w_i Q_i^j(s,a))
 *     L_alpha = -mean(alpha (log pi + H)),                       H = -actions
 *
 * (where the action is one of n choices, `discrete`, the policy is a distribution over them, and
 * expectations over it stand for the sample a')
 * where a' ~ pi(.|s'), and all Q_i are of the target twin whose sum of w_i Q_i is the smaller one.
 *
 * Do this:
 *     vdi_sacd_desc desc = VDI__ZERO;
 *     desc.observations = env.observations;
 *     desc.actions = env.actions;
 *     desc.components = env.components;
 *     vdi_sacd *agent;
 *     vdi_sacd_episode *episode;
 *     if (vdi_sacd_create(&desc, &agent, &err) < 0) puts(err.message);
 *     if (vdi_sacd_episode_create(agent, NULL, &episode, &err) < 0) puts(err.message);
 *     for (int64_t step = 0; step < 10000; step++) {
 *         if (vdi_sacd_step(agent, &env, episode, NULL, &err) < 0) puts(err.message);
 *     }
 *     if (vdi_sacd_act(agent, obs, true, action) < 0) puts("an observation is not finite");
 *     vdi_sacd_episode_destroy(episode);
 *     vdi_sacd_destroy(agent);
 *
 * With weights 1 the targets y_i sum to SAC's target; weights may be changed at any time, and no
 * value has to be relearned. Algorithms are options of one update: SAC-D, its element-wise
 * ("naive") minimum, its conflict-averse gradient, and plain SAC on the weighted sum of the rewards
 * (MacGlashan et al. 2022, arXiv 2206.13901; Haarnoja et al. 2018, arXiv 1812.05905). The loss of
 * the critics is that of model/sacd/critic.h; docs/guide/sacd.md has the equations.
 * Steps in an environment are in model/sacd/episode.h, questions to an agent in
 * model/sacd/explain.h.
 * Memory: all allocated at create. Errors: a transition that is not finite is rejected, an update
 * whose result is not finite fails; the agent is then unchanged. Threads: desc.pool splits an
 * update among threads; the bits do not depend on it. One agent per thread; model/sacd/policy.h is
 * a policy that acts elsewhere.
 * Randomness: functions of (seed, purpose, count), so a saved state continues with the same bits.
 * What it does NOT do: images, recurrent policies, mixtures of choices and numbers, normalisation
 * of rewards.
 */
#ifndef VDI_MODEL_SACD_SACD_H
#define VDI_MODEL_SACD_SACD_H
#include "../env/env.h"
#include "critic.h"
#include "replay.h"

/** What is learned. */
typedef enum vdi_sacd_algo {
    VDI_SACD_COMPOSITE =
        0,                 /**< "sac-d": minimum over the composite, mean of the heads' gradients */
    VDI_SACD_NAIVE,        /**< "sac-d-naive": minimum head by head */
    VDI_SACD_CAGRAD,       /**< "sac-d-cagrad": composite minimum, conflict-averse gradient */
    VDI_SACD_SAC,          /**< "sac": one head for the weighted sum of rewards and entropy */
    VDI_SACD_CAGRAD_HIDDEN /**< "sac-d-cagrad-hidden": with the conflict measured at the last hidden
                                layer, at the cost of "sac-d" */
} vdi_sacd_algo;

/** Zero is the default of each field but the first three; vdi_sacd_desc_fields has the ranges. */
typedef struct vdi_sacd_desc {
    int64_t observations, actions, components; /**< sizes, as in vdi_env */
    vdi_sacd_algo algo;                        /**< what is learned */
    int layers;                                /**< hidden layers of policy and critics */
    int64_t hidden[VDI_MLP_LAYERS];            /**< units of each */
    int64_t batch;                             /**< transitions of an update */
    int64_t capacity;                          /**< of the replay buffer */
    int64_t start;        /**< uniformly random actions before the first update */
    int64_t noise_hold;   /**< steps for which the noise of exploring actions is held */
    int64_t update_every; /**< steps of the environment for one update */
    double rate;          /**< Adam's rate for policy and temperature ... */
    double critic_rate;   /**< ... and for the critics */
    double last_rate; /**< where a straight line leads `rate` (the critics' in proportion) ... */
    int64_t rate_updates;           /**< ... in that many updates ... */
    int64_t rate_hold;              /**< ... after the first so many, at `rate` */
    double composite_weight;        /**< lambda of the critics' loss, see model/sacd/critic.h; */
    bool has_composite_weight;      /**< without it the default */
    double tau;                     /**< of the target nets */
    double gamma;                   /**< discount */
    double target_entropy;          /**< H, in nats; */
    bool has_target_entropy;        /**< without it -actions; 0.3 log(actions) if discrete */
    double log_alpha;               /**< where the temperature begins */
    bool fixed_alpha;               /**< ... and stays */
    bool entropy_at_terminals;      /**< pay the last entropy at terminal states too */
    bool discrete;                  /**< an action is one of `actions` choices, as in vdi_env */
    bool normalise;                 /**< observations by their running mean and deviation */
    double cagrad_c;                /**< 0 <= c < 1, for VDI_SACD_CAGRAD; */
    bool has_cagrad_c;              /**< without it the default */
    const double *weights;          /**< (components + 1) or NULL: all 1; last the entropy's */
    vdi_dtype dtype;                /**< of the nets: float32 or float64 */
    uint64_t seed;                  /**< of everything random */
    vdi_pool *pool;                 /**< NULL: the caller alone */
    const vdi_allocator *allocator; /**< NULL: malloc */
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

/** An agent, made by vdi_sacd_create. */
typedef struct vdi_sacd vdi_sacd;
/** The fields of a description: defaults, ranges and help. */
VDI_API const vdi_fields *vdi_sacd_desc_fields(void);
/** The filled description; what depends on other fields (sizes, critic_rate, last_rate,
 *  target_entropy) is left at 0 and filled in at create. */
VDI_API vdi_sacd_desc vdi_sacd_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_sacd_desc_check(const vdi_sacd_desc *desc, vdi_error *err);
/** "sac-d", "sac-d-naive", "sac-d-cagrad", "sac", "sac-d-cagrad-hidden". */
VDI_API const char *vdi_sacd_algo_name(vdi_sacd_algo algo);
/** The algorithm of that name; false if there is none. */
VDI_API bool vdi_sacd_algo_find(const char *name, vdi_sacd_algo *out);
/** Make an agent. vdi_replay_memsize says what its replay buffer will take. */
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

/** An action in [-1,1] for an observation: tanh of the mean, or a sample; if discrete the likeliest
 *  choice, or a sample, as 1 among zeros. No allocation; uses memory of the agent. VDI_ERR_DATA if
 *  the observation, VDI_ERR_NUMERIC if the net's answer is not finite: the action is 0 then. */
VDI_API vdi_status vdi_sacd_act(vdi_sacd *agent, const float *obs, bool deterministic,
                                float *action);
/** n actions at once, arrays of the agent's dtype: obs (n,observations); mean action tanh(mean)
 *  (n,actions), and log_sd (n,actions) of the Gaussian before tanh, which may be NULL. If discrete,
 *  the probabilities of the choices, and their logarithms. Statuses as
 *  of vdi_sacd_act; actions whose mean is not finite are 0. */
VDI_API vdi_status vdi_sacd_policy(vdi_sacd *agent, int64_t n, const void *obs, void *action,
                                   void *log_sd);
/** The action of training: uniform in the first desc.start steps, then a sample, whose noise is
 *  held for desc.noise_hold steps. Noise that is new in each step averages out in a sluggish body,
 *  which then never leaves what it does already; each action alone is a sample of the policy either
 *  way. Statuses as of vdi_sacd_act. */
VDI_API vdi_status vdi_sacd_explore(vdi_sacd *agent, const float *obs, float *action);
/** Remember a transition; `end`: 0 or VDI_ENV_ flags. Time-outs bootstrap, terminal states do not.
 *  VDI_ERR_DATA if it is not finite, VDI_ERR_ARGUMENT if an action is not in [-1,1] or `end` is
 *  something else; if discrete,
 *  too, if it is not 1 among zeros. */
VDI_API vdi_status vdi_sacd_observe(vdi_sacd *agent, const float *obs, const float *action,
                                    const float *reward, const float *next, int end,
                                    vdi_error *err);
/** Is an update due, by desc.start and desc.update_every? */
VDI_API bool vdi_sacd_due(const vdi_sacd *agent);
/** One update of critics, targets, policy and temperature on a batch: all gradients are taken at
 *  the same weights, then all steps are made. VDI_ERR_STATE without a transition; VDI_ERR_NUMERIC
 *  if it is refused: nothing has changed then. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_update(vdi_sacd *agent, vdi_sacd_stats *stats,
                                                 vdi_error *err);
/** Targets of the heads, y (heads), for one transition: q (heads) are the target critics' values at
 *  (s', a') that the rule has picked, log_pi is log pi(a'|s'). With weights 1 they sum to SAC's
 *  target. */
VDI_API void vdi_sacd_target(const vdi_sacd *agent, const float *reward, int end, const double *q,
                             double log_pi, double *y);

/** Reward influence of each head on an action, influence (heads), by the agent's weights: |w_i|
 *  |d Q_i / d a| of the first twin; if discrete |w_i| times the mean of |Q_i(s,a) - Q_i(s,b)| over
 *  the other choices b. Divide by the sum for the relative influence. Statuses as of
 *  vdi_sacd_act. */
VDI_API vdi_status vdi_sacd_influence(vdi_sacd *agent, const float *obs, const float *action,
                                      double *influence);

/** Steps observed. */
VDI_API int64_t vdi_sacd_steps(const vdi_sacd *agent);
/** Updates made. */
VDI_API int64_t vdi_sacd_updates(const vdi_sacd *agent);
/** The temperature alpha. */
VDI_API double vdi_sacd_alpha(const vdi_sacd *agent);
/** The weights now, (components + 1). */
VDI_API void vdi_sacd_weights(const vdi_sacd *agent, double *weights);
/** Other weights from here on, (components + 1). Values stay as they are: they are of the
 *  components, not of the sum. */
VDI_API vdi_status vdi_sacd_set_weights(vdi_sacd *agent, const double *weights, vdi_error *err);
/** Lead one weight along a straight line: `from` until step `begin`, `to` from step begin + length
 *  on. */
VDI_API vdi_status vdi_sacd_schedule_weight(vdi_sacd *agent, int64_t component, double from,
                                            double to, int64_t begin, int64_t length,
                                            vdi_error *err);

/** The state by name: policy, critics, temperature, weights, and as metadata the description. With
 *  `training` also targets, Adam's memory, counters and the replay buffer as far as it is filled: a
 *  run goes on to the bit. */
VDI_API const vdi_state *vdi_sacd_state(vdi_sacd *agent, bool training);
/** Take over a saved state, of an agent of the same description or one that differs in capacity
 *  alone: with "replay" in it everything, else what acts. VDI_ERR_FORMAT, and nothing has changed,
 *  if a tensor is missing or of another shape or type; VDI_ERR_NUMERIC if numbers in it are not
 *  valid: the agent refuses to learn then. */
VDI_API vdi_status vdi_sacd_restore(vdi_sacd *agent, const vdi_state *saved, vdi_error *err);
/** An agent made of a saved state alone, description and all; one without "replay" only acts, and
 *  has a replay buffer of one transition. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_from_state(const vdi_state *saved, vdi_pool *pool,
                                                     const vdi_allocator *a, vdi_sacd **out,
                                                     vdi_error *err);
/** The description in a state's metadata. VDI_ERR_FORMAT if something is missing or out of
 *  range. */
VDI_API vdi_status vdi_sacd_desc_from_meta(const vdi_meta *meta, int64_t count, vdi_sacd_desc *out,
                                           vdi_error *err);

#endif /* VDI_MODEL_SACD_SACD_H */

/* ---- private: what an agent is made of; act.h and update.h have the rest of its code --------- */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_SACD_C)
#define VDI_MODEL_SACD_SACD_C

/* What random numbers are for: the upper byte of a stream. The critics' weights are streams 1 and 2
   of the first, the policy's is 3. */
enum {
    VDI__SACD_INIT = 1,
    VDI__SACD_SAMPLE,
    VDI__SACD_NEXT,
    VDI__SACD_POLICY,
    VDI__SACD_ACT,
    VDI__SACD_TRACE = 9
};

#define VDI__LOG_SD_MIN (-20.0)
#define VDI__LOG_SD_MAX 2.0
#define VDI__LOG_2 0.69314718055994530942

/* Scratch of one worker, for a chunk of rows. */
typedef struct vdi__sacd_space {
    void *x;                  /* (chunk, inputs) observation and action of the policy */
    void *h[VDI__MLP_LAYERS]; /* of the policy at the next observation */
    void *sd, *u, *softplus;  /* (chunk, actions) */
    void *da;                 /* (chunk, actions) */
    double *q, *y;            /* (heads) of one row */
} vdi__sacd_space;

/* What has happened so far; saved as four whole numbers. */
typedef struct vdi__sacd_counts {
    int64_t steps, updates, acts, added; /* observed, made, sampled actions, transitions */
} vdi__sacd_counts;
enum { VDI__SACD_COUNTS = 4 };

/* log alpha with Adam's memory; saved as three numbers. */
typedef struct vdi__sacd_temperature {
    double log_alpha, m, v;
} vdi__sacd_temperature;

/* A weight's line; saved as four numbers. */
typedef struct vdi__sacd_line {
    double from, to, begin, length;
} vdi__sacd_line;

/* An algorithm: a row of vdi__sacd_forms, in the order of vdi_sacd_algo. */
typedef struct vdi__sacd_form {
    vdi_critic_rule rule;
    vdi_critic_gradient gradient;
    bool split; /* a head for each component; else one for their weighted sum */
} vdi__sacd_form;

/* Running moments of observations, Welford's; `data` holds (observations) means, then sums of
   squares about them, then 1 / deviation, and last how many there were. NULL: observations are
   taken as they are. */
typedef struct vdi__norm {
    size_t n;
    double *data;
} vdi__norm;

struct vdi_sacd {
    vdi_sacd_desc desc;
    const vdi__sacd_form *form;
    const struct vdi__actor_kind *acting; /* numbers or choices */
    vdi__norm norm;                       /* of observations */
    vdi_allocator allocator;
    vdi_arena arena;
    vdi_critic *critic;
    vdi_replay *replay;
    vdi__mlp net; /* policy: outputs are mean and log sd */
    vdi__learner policy;
    int64_t heads;
    vdi__sacd_temperature temperature;
    vdi__sacd_counts count;
    vdi__sacd_line *line; /* (components + 1) */
    /* an update */
    int64_t *index;           /* (batch) */
    void *noise_next, *noise; /* (batch, actions) */
    double *log_pi, *value;   /* (batch) */
    double *w;                /* (heads) weights of this update */
    double alpha;
    vdi__sacd_space *space;
    /* an action, and what is asked about one */
    void *act_x, *act_h[VDI__MLP_LAYERS]; /* (inputs), (width) */
    void *act_a, *act_q;                  /* (actions), (heads) */
    float *action;                        /* (actions) */
    double *weights, *influence, *own;    /* (components + 1), (heads), (heads) */
    struct vdi_sacd_episode *playing;     /* for what is played without learning */
    /* the state */
    vdi_state state;
    vdi_named_tensor *tensor;
    char (*name)[VDI_PARAM_NAME];
    vdi_meta_list meta;
    bool suspect;
};

/* ---- description --------------------------------------------------------------------------- */

static const char *const vdi__sacd_algos[] = {"sac-d", "sac-d-naive",         "sac-d-cagrad",
                                              "sac",   "sac-d-cagrad-hidden", NULL};
static const vdi__sacd_form vdi__sacd_forms[] = {
    {VDI_CRITIC_COMPOSITE, VDI_CRITIC_MEAN, true},
    {VDI_CRITIC_ELEMENTWISE, VDI_CRITIC_MEAN, true},
    {VDI_CRITIC_COMPOSITE, VDI_CRITIC_CAGRAD, true},
    {VDI_CRITIC_COMPOSITE, VDI_CRITIC_MEAN, false},
    {VDI_CRITIC_COMPOSITE, VDI_CRITIC_CAGRAD_HIDDEN, true},
};

#define VDI__SACD_EVER 9007199254740992.0 /* 2^53 */
/* The critics' rate in the policy's, where none is given: docs/results/sacd.md */
#define VDI__SACD_CRITIC_RATE 4.0

static const vdi_field vdi__sacd_table[] = {
    VDI_FIELD_INT_FLAGS(vdi_sacd_desc, observations, 0, 1, VDI_ENV_MAX_OBSERVATIONS,
                        VDI_FIELD_REQUIRED, "numbers in an observation"),
    VDI_FIELD_INT_FLAGS(vdi_sacd_desc, actions, 0, 1, VDI_ENV_MAX_ACTIONS, VDI_FIELD_REQUIRED,
                        "numbers in an action"),
    VDI_FIELD_INT_FLAGS(vdi_sacd_desc, components, 0, 1, VDI_ENV_MAX_COMPONENTS, VDI_FIELD_REQUIRED,
                        "numbers in a reward"),
    VDI_FIELD_INT(vdi_sacd_desc, batch, 256, 1, 1000000, "transitions of an update"),
    VDI_FIELD_INT(vdi_sacd_desc, capacity, 1000000, 1, VDI__SACD_EVER,
                  "transitions that are remembered"),
    VDI_FIELD_INT(vdi_sacd_desc, start, 1000, 1, VDI__SACD_EVER, "random steps before learning"),
    VDI_FIELD_INT_FLAGS(vdi_sacd_desc, noise_hold, 1, 1, VDI__SACD_EVER, VDI_FIELD_ADDED,
                        "steps for which the noise of exploring actions is held"),
    VDI_FIELD_INT(vdi_sacd_desc, update_every, 1, 1, VDI__SACD_EVER,
                  "steps of the environment for one update"),
    VDI_FIELD_REAL_FLAGS(vdi_sacd_desc, rate, 3e-4, 0, 1e6, VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                         "Adam's rate of policy and temperature"),
    VDI_FIELD_REAL_FLAGS(vdi_sacd_desc, critic_rate, 0, 0, 1e6,
                         VDI_FIELD_COMPUTED | VDI_FIELD_ADDED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                         "Adam's rate of the critics; without it four times that of the policy"),
    VDI_FIELD_REAL_FLAGS(vdi_sacd_desc, last_rate, 0, 0, 1e6,
                         VDI_FIELD_COMPUTED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                         "where a straight line leads the rate"),
    VDI_FIELD_INT(vdi_sacd_desc, rate_updates, 0, 0, VDI__SACD_EVER, "in how many updates"),
    VDI_FIELD_INT(vdi_sacd_desc, rate_hold, 0, 0, VDI__SACD_EVER, "after how many"),
    VDI_FIELD_REAL_TWIN(vdi_sacd_desc, composite_weight, has_composite_weight, 0.3, 0, 1e6,
                        VDI_FIELD_ADDED, "weight of the composite's squared error in the loss"),
    VDI_FIELD_REAL_FLAGS(vdi_sacd_desc, tau, 0.005, 0, 1, VDI_FIELD_ABOVE,
                         "share of the nets in their targets at each update"),
    VDI_FIELD_REAL_FLAGS(vdi_sacd_desc, gamma, 0.99, 0, 1, VDI_FIELD_ABOVE, "discount"),
    VDI_FIELD_REAL_TWIN(vdi_sacd_desc, target_entropy, has_target_entropy, 0, -1e6, 1e6,
                        VDI_FIELD_COMPUTED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                        "entropy that the temperature steers to, in nats"),
    VDI_FIELD_REAL_FLAGS(vdi_sacd_desc, log_alpha, 0, -40, 40, VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                         "logarithm of the first temperature"),
    VDI_FIELD_BOOL(vdi_sacd_desc, fixed_alpha, "the temperature stays"),
    VDI_FIELD_BOOL(vdi_sacd_desc, entropy_at_terminals,
                   "pay the last step's entropy at terminal states too"),
    VDI__FIELD(vdi_sacd_desc, discrete, VDI_FIELD_TYPE_BOOL, VDI_FIELD_NONE, 0, 0, 1,
               VDI_FIELD_ADDED, "an action is one of so many choices"),
    VDI__FIELD(vdi_sacd_desc, normalise, VDI_FIELD_TYPE_BOOL, VDI_FIELD_NONE, 0, 0, 1,
               VDI_FIELD_ADDED, "take observations by their running mean and deviation"),
    VDI_FIELD_REAL_TWIN(vdi_sacd_desc, cagrad_c, has_cagrad_c, 0.5, 0, 1, VDI_FIELD_BELOW,
                        "how far CAGrad may leave the mean gradient, as a share of it"),
    VDI_FIELD_SEED(vdi_sacd_desc, seed, "seed of everything random"),
    VDI_FIELD_SIZES(vdi_sacd_desc, hidden, layers, VDI_FIELD_NONE, VDI_MLP_LAYERS, 2, 256, 1,
                    VDI__CRITIC_MOST, "hidden layers of policy and critics"),
    VDI_FIELD_ENUM(vdi_sacd_desc, algo, vdi__sacd_algos, "what is learned"),
    VDI_FIELD_ENUM(vdi_sacd_desc, dtype, vdi__critic_dtypes, "type of the nets"),
};
static const vdi_fields vdi__sacd_fields = {"vdi_sacd_desc", vdi__sacd_table,
                                            (int)VDI__COUNT(vdi__sacd_table)};

VDI__DEF const vdi_fields *vdi_sacd_desc_fields(void) { return &vdi__sacd_fields; }

VDI__DEF const char *vdi_sacd_algo_name(vdi_sacd_algo algo) {
    return (unsigned)algo < VDI__COUNT(vdi__sacd_forms) ? vdi__sacd_algos[algo] : "?";
}
VDI__DEF bool vdi_sacd_algo_find(const char *name, vdi_sacd_algo *out) {
    for (int i = 0; vdi__sacd_algos[i]; i++) {
        if (strcmp(name, vdi__sacd_algos[i]) != 0) continue;
        *out = (vdi_sacd_algo)i;
        return true;
    }
    return false;
}

/* The defaults of a table, and those that depend on other fields. */
VDI__FN vdi_sacd_desc vdi__sacd_filled(const vdi_sacd_desc *desc) {
    vdi_sacd_desc d = *desc;
    vdi_fields_fill(&vdi__sacd_fields, &d);
    if (d.critic_rate == 0) d.critic_rate = VDI__SACD_CRITIC_RATE * d.rate;
    if (d.last_rate == 0) d.last_rate = d.rate;
    if (!d.has_target_entropy) {
        d.target_entropy =
            d.discrete ? 0.3 * log((double)VDI__MAX(d.actions, 1)) : -(double)d.actions;
    }
    d.has_target_entropy = true;
    return d;
}

VDI__DEF vdi_sacd_desc vdi_sacd_desc_defaults(void) {
    vdi_sacd_desc d = VDI__ZERO;
    vdi_fields_fill(&vdi__sacd_fields, &d);
    return d;
}

/* The critic of a filled description. */
VDI__FN vdi_critic_desc vdi__sacd_critic_desc(const vdi_sacd_desc *d) {
    vdi_critic_desc c = VDI__ZERO;
    const vdi__sacd_form *form = &vdi__sacd_forms[d->algo];
    c.observations = d->observations;
    c.actions = d->actions;
    c.heads = form->split ? d->components + 1 : 1;
    c.layers = d->layers;
    memcpy(c.hidden, d->hidden, sizeof c.hidden);
    c.batch = d->batch;
    c.rate = d->critic_rate;
    c.tau = d->tau;
    c.gradient = form->gradient;
    c.cagrad_c = d->cagrad_c;
    c.has_cagrad_c = true;
    c.composite_weight = form->split ? d->composite_weight : 0;
    c.dtype = d->dtype;
    c.seed = d->seed;
    c.pool = d->pool;
    c.allocator = d->allocator;
    return vdi__critic_filled(&c);
}

VDI__DEF vdi_status vdi_sacd_desc_check(const vdi_sacd_desc *desc, vdi_error *err) {
    const vdi_sacd_desc d = vdi__sacd_filled(desc);
    vdi_status status = vdi_fields_check(&vdi__sacd_fields, &d, err);
    for (int64_t i = 0; status >= 0 && d.weights && i <= d.components; i++) {
        if (fabs(d.weights[i]) < 1e6) continue;
        status = vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_sacd_desc",
                               "weights[%lld] is %g: expected a number between -1e6 and 1e6",
                               (long long)i, d.weights[i]);
    }
    if (status < 0) return status;
    const vdi_critic_desc c = vdi__sacd_critic_desc(&d);
    return vdi_critic_desc_check(&c, err);
}

/* ---- memory -------------------------------------------------------------------------------- */

VDI__FN const struct vdi__actor_kind *vdi__actor_kind_of(bool discrete);
VDI__FN size_t vdi__actor_outputs(const vdi_sacd_desc *d);
VDI__FN void vdi__norm_begin(vdi__norm *s, int64_t n, double *data);
enum { VDI__NORM_ARRAYS = 3 };

VDI__FN bool vdi__sacd_space_init(vdi_sacd *g, vdi__sacd_space *s) {
    const vdi_dtype t = g->desc.dtype;
    const size_t rows = (size_t)g->critic->chunk, actions = (size_t)g->desc.actions;
    bool ok = true;
    s->x = vdi__mlp_array(&g->arena, t, rows, g->critic->net.width[0]);
    s->sd = vdi__mlp_array(&g->arena, t, rows, actions);
    s->u = vdi__mlp_array(&g->arena, t, rows, actions);
    s->softplus = vdi__mlp_array(&g->arena, t, rows, actions);
    s->da = vdi__mlp_array(&g->arena, t, rows, actions);
    s->q = (double *)vdi_arena_calloc(&g->arena, (size_t)g->heads * sizeof(double));
    s->y = (double *)vdi_arena_calloc(&g->arena, (size_t)g->heads * sizeof(double));
    for (int l = 0; l < g->net.layers; l++) {
        s->h[l] = vdi__mlp_array(&g->arena, t, rows, g->net.width[l + 1]);
        ok = ok && s->h[l];
    }
    return ok && s->x && s->sd && s->u && s->softplus && s->da && s->q && s->y;
}

/* What one action takes, and what is asked about one. */
VDI__FN bool vdi__sacd_reserve_act(vdi_sacd *g) {
    const vdi_sacd_desc *d = &g->desc;
    const size_t actions = (size_t)d->actions, weights = (size_t)d->components + 1;
    g->act_x = vdi__mlp_array(&g->arena, d->dtype, g->net.width[0], 1);
    g->act_a = vdi__mlp_array(&g->arena, d->dtype, actions, 1);
    g->act_q = vdi__mlp_array(&g->arena, d->dtype, (size_t)g->heads, 1);
    g->action = (float *)vdi_arena_calloc(&g->arena, actions * sizeof(float));
    g->weights = (double *)vdi_arena_calloc(&g->arena, weights * sizeof(double));
    g->influence = (double *)vdi_arena_calloc(&g->arena, (size_t)g->heads * sizeof(double));
    g->own = (double *)vdi_arena_calloc(&g->arena, (size_t)g->heads * sizeof(double));
    bool ok = g->act_x && g->act_a && g->act_q && g->action && g->weights && g->influence && g->own;
    for (int l = 0; l < g->net.layers; l++) {
        g->act_h[l] = vdi__mlp_array(&g->arena, d->dtype, g->net.width[l + 1], 1);
        ok = ok && g->act_h[l];
    }
    return ok;
}

VDI__FN bool vdi__sacd_reserve(vdi_sacd *g) {
    const vdi_sacd_desc *d = &g->desc;
    const size_t batch = (size_t)d->batch, actions = (size_t)d->actions;
    const size_t names = (size_t)g->net.layers * 2 * (3 + 8) + 9;
    const size_t workers = (size_t)vdi_pool_threads(d->pool);
    vdi_arena *a = &g->arena;
    g->line = (vdi__sacd_line *)vdi_arena_calloc(a, (size_t)(d->components + 1) * sizeof *g->line);
    g->index = (int64_t *)vdi_arena_calloc(a, batch * sizeof *g->index);
    g->noise_next = vdi__mlp_array(a, d->dtype, batch, actions);
    g->noise = vdi__mlp_array(a, d->dtype, batch, actions);
    g->log_pi = (double *)vdi_arena_calloc(a, batch * sizeof(double));
    g->value = (double *)vdi_arena_calloc(a, batch * sizeof(double));
    g->w = (double *)vdi_arena_calloc(a, (size_t)g->heads * sizeof(double));
    g->space = (vdi__sacd_space *)vdi_arena_calloc(a, workers * sizeof *g->space);
    g->tensor = (vdi_named_tensor *)vdi_arena_calloc(a, names * sizeof *g->tensor);
    g->name = (char(*)[VDI_PARAM_NAME])vdi_arena_calloc(a, names * sizeof *g->name);
    bool ok = g->line && g->index && g->noise_next && g->noise && g->log_pi && g->value && g->w &&
              g->space && g->tensor && g->name && vdi__sacd_reserve_act(g);
    for (size_t i = 0; ok && i < workers; i++)
        ok = vdi__sacd_space_init(g, &g->space[i]);
    if (ok && d->normalise) {
        const size_t numbers = VDI__NORM_ARRAYS * (size_t)d->observations + 1;
        double *data = (double *)vdi_arena_calloc(a, numbers * sizeof *data);
        if (data) vdi__norm_begin(&g->norm, d->observations, data);
        ok = data != NULL;
    }
    return ok && vdi__learner_init(&g->policy, &g->net, a, batch, false);
}

/* Replay buffer, critic, policy. */
VDI__FN vdi_status vdi__sacd_build(vdi_sacd *g, vdi_error *err) {
    const vdi_sacd_desc *d = &g->desc;
    vdi_replay_desc rd = VDI__ZERO;
    rd.capacity = d->capacity;
    rd.observations = d->observations;
    rd.actions = d->actions;
    rd.components = d->components;
    rd.allocator = &g->allocator;
    vdi_status status = vdi_replay_create(&rd, &g->replay, err);
    if (status < 0) return status;
    vdi_critic_desc cd = vdi__sacd_critic_desc(d);
    cd.allocator = &g->allocator;
    g->heads = cd.heads;
    status = vdi_critic_create(&cd, &g->critic, err);
    if (status < 0) return status;
    vdi__mlp_init(&g->net, d->dtype, d->observations, d->layers, d->hidden,
                  (int64_t)vdi__actor_outputs(d));
    if (!vdi__sacd_reserve(g)) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_sacd_create", "no memory for the policy");
    }
    return vdi_sacd_episode_create(g, &g->allocator, &g->playing, err);
}

VDI__DEF vdi_status vdi_sacd_create(const vdi_sacd_desc *desc, vdi_sacd **out, vdi_error *err) {
    *out = NULL;
    vdi_status status = vdi_sacd_desc_check(desc, err);
    if (status == VDI_OK) status = vdi_arithmetic_check(err);
    if (status < 0) return status;
    vdi_sacd *g = (vdi_sacd *)vdi_alloc(desc->allocator, sizeof *g);
    if (!g) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_sacd_create", "no memory");
    memset(g, 0, sizeof *g);
    g->desc = vdi__sacd_filled(desc);
    g->desc.weights = NULL;
    g->desc.allocator = NULL;
    g->form = &vdi__sacd_forms[g->desc.algo];
    g->acting = vdi__actor_kind_of(g->desc.discrete);
    g->allocator = vdi_allocator_defaults(desc->allocator);
    vdi_arena_init(&g->arena, &g->allocator, (size_t)1 << 20);
    status = vdi__sacd_build(g, err);
    if (status < 0) {
        vdi_sacd_destroy(g);
        return status;
    }
    vdi_rng rng = vdi_rng_make(g->desc.seed, (uint64_t)VDI__SACD_INIT << 56 | 3);
    vdi__mlp_draw(&g->net, g->policy.value, &rng, 1);
    g->policy.x = g->critic->x; /* rows begin with the observation */
    g->policy.ldx = g->critic->net.width[0];
    g->temperature.log_alpha = g->desc.log_alpha;
    for (int64_t i = 0; i <= g->desc.components; i++)
        g->line[i].from = g->line[i].to = desc->weights ? desc->weights[i] : 1;
    *out = g;
    return VDI_OK;
}

VDI__DEF void vdi_sacd_destroy(vdi_sacd *g) {
    if (!g) return;
    vdi_allocator a = g->allocator;
    vdi_critic_destroy(g->critic);
    vdi_replay_destroy(g->replay);
    vdi_sacd_episode_destroy(g->playing);
    vdi_arena_free(&g->arena);
    vdi_free(&a, g, sizeof *g);
}

VDI__DEF const vdi_sacd_desc *vdi_sacd_get_desc(const vdi_sacd *g) { return &g->desc; }
VDI__DEF vdi_critic *vdi_sacd_critic(vdi_sacd *g) { return g->critic; }
VDI__DEF vdi_replay *vdi_sacd_replay(vdi_sacd *g) { return g->replay; }
VDI__DEF int64_t vdi_sacd_steps(const vdi_sacd *g) { return g->count.steps; }
VDI__DEF int64_t vdi_sacd_updates(const vdi_sacd *g) { return g->count.updates; }
VDI__DEF double vdi_sacd_alpha(const vdi_sacd *g) { return exp(g->temperature.log_alpha); }

/* ---- weights ------------------------------------------------------------------------------- */

VDI__FN double vdi__sacd_weight(const vdi_sacd *g, int64_t i) {
    const vdi__sacd_line *p = &g->line[i];
    const double k = (double)g->count.steps - p->begin;
    if (k <= 0) return p->from;
    return k >= p->length ? p->to : p->from + (p->to - p->from) * (k / p->length);
}

VDI__DEF void vdi_sacd_weights(const vdi_sacd *g, double *weights) {
    for (int64_t i = 0; i <= g->desc.components; i++)
        weights[i] = vdi__sacd_weight(g, i);
}

VDI__DEF vdi_status vdi_sacd_schedule_weight(vdi_sacd *g, int64_t component, double from, double to,
                                             int64_t begin, int64_t length, vdi_error *err) {
    if (component < 0 || component > g->desc.components || !(fabs(from) < 1e6) ||
        !(fabs(to) < 1e6) || length < 0) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, "vdi_sacd_schedule_weight",
            "component %lld from %g to %g over %lld steps: expected one of 0..%lld, and weights "
            "between -1e6 and 1e6",
            (long long)component, from, to, (long long)length, (long long)g->desc.components);
    }
    vdi__sacd_line *p = &g->line[component];
    p->from = from;
    p->to = to;
    p->begin = (double)begin;
    p->length = (double)length;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_sacd_set_weights(vdi_sacd *g, const double *weights, vdi_error *err) {
    for (int64_t i = 0; i <= g->desc.components; i++) {
        if (fabs(weights[i]) < 1e6) continue;
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_sacd_set_weights",
                             "weight %lld is %g: expected a number between -1e6 and 1e6",
                             (long long)i, weights[i]);
    }
    for (int64_t i = 0; i <= g->desc.components; i++)
        (void)vdi_sacd_schedule_weight(g, i, weights[i], weights[i], 0, 0, NULL);
    return VDI_OK;
}

/* ---- the state ----------------------------------------------------------------------------- */

VDI__FN void vdi__sacd_add(vdi_sacd *g, const char *name, vdi_tensor t) {
    vdi_named_tensor *n = &g->tensor[g->state.tensor_count++];
    n->name = name;
    n->tensor = t;
}

VDI__FN void vdi__sacd_tensors(vdi_sacd *g, bool training) {
    static const char *const prefix[3] = {"policy", "policy.m", "policy.v"};
    const void *block[3];
    block[0] = g->policy.value;
    block[1] = g->policy.m;
    block[2] = g->policy.v;
    g->state.tensors = g->tensor;
    g->state.tensor_count = 0;
    for (int kind = 0; kind < (training ? 3 : 1); kind++) {
        vdi__mlp_state(&g->net, block[kind], prefix[kind], g->tensor, g->name,
                       &g->state.tensor_count);
    }
    const vdi_state *c = vdi_critic_state(g->critic, training);
    for (int64_t i = 0; i < c->tensor_count; i++)
        vdi__sacd_add(g, c->tensors[i].name, c->tensors[i].tensor);
    vdi__sacd_add(g, "log_alpha", vdi_tensor_1d(&g->temperature, VDI_F64, training ? 3 : 1));
    vdi__sacd_add(g, "weights", vdi_tensor_2d(g->line, VDI_F64, g->desc.components + 1, 4));
    vdi__sacd_add(g, "counters", vdi_tensor_1d(&g->count, VDI_I64, VDI__SACD_COUNTS));
    if (g->norm.data) {
        const int64_t numbers = VDI__NORM_ARRAYS * g->desc.observations + 1;
        vdi__sacd_add(g, "observations", vdi_tensor_1d(g->norm.data, VDI_F64, numbers));
    }
    if (training) vdi__sacd_add(g, "replay", vdi_replay_tensor(g->replay));
}

VDI__DEF const vdi_state *vdi_sacd_state(vdi_sacd *g, bool training) {
    g->suspect = true;
    g->count.added = vdi_replay_added(g->replay);
    vdi__sacd_tensors(g, training);
    vdi_meta_clear(&g->meta);
    (void)vdi_fields_write(&vdi__sacd_fields, &g->desc, &g->meta); /* they fit: see the table */
    g->state.meta = g->meta.meta;
    g->state.meta_count = g->meta.count;
    return &g->state;
}

VDI__FN const vdi_named_tensor *vdi__state_find(const vdi_state *state, const char *name) {
    for (int64_t i = 0; i < state->tensor_count; i++) {
        if (strcmp(state->tensors[i].name, name) == 0) return &state->tensors[i];
    }
    return NULL;
}

/* Tensor by tensor, `from` into `to`: checked alone, or copied. */
VDI__FN vdi_status vdi__state_copy(const vdi_state *to, const vdi_state *from, bool copy,
                                   vdi_error *err) {
    for (int64_t i = 0; i < to->tensor_count; i++) {
        const vdi_named_tensor *t = &to->tensors[i], *f = vdi__state_find(from, t->name);
        char wanted[VDI_SHAPE_TEXT], came[VDI_SHAPE_TEXT];
        if (!f) {
            return vdi_error_set(err, VDI_ERR_FORMAT, "vdi_sacd_restore",
                                 "expected a tensor \"%s\", which is missing", t->name);
        }
        if (!vdi_tensor_same_shape(t->tensor, f->tensor) || t->tensor.dtype != f->tensor.dtype) {
            return vdi_error_set(
                err, VDI_ERR_FORMAT, "vdi_sacd_restore", "expected \"%s\" to be %s %s, got %s %s",
                t->name, vdi_dtype_name(t->tensor.dtype), vdi_tensor_shape_text(t->tensor, wanted),
                vdi_dtype_name(f->tensor.dtype), vdi_tensor_shape_text(f->tensor, came));
        }
        const vdi_status status = copy ? vdi_tensor_copy(t->tensor, f->tensor, err) : VDI_OK;
        if (status < 0) return status;
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__sacd_valid(vdi_sacd *g, const char *where, vdi_error *err);

/* Transitions that a training state holds, or -1. */
VDI__FN int64_t vdi__sacd_saved_added(const vdi_state *saved) {
    const vdi_named_tensor *n = vdi__state_find(saved, "counters");
    if (!n || n->tensor.dtype != VDI_I64 || vdi_tensor_count(n->tensor) != VDI__SACD_COUNTS ||
        !vdi_tensor_is_contiguous(n->tensor)) {
        return -1;
    }
    const int64_t added = ((const int64_t *)n->tensor.data)[VDI__SACD_COUNTS - 1];
    return (double)added < VDI__SACD_EVER ? added : -1;
}

VDI__DEF vdi_status vdi_sacd_restore(vdi_sacd *g, const vdi_state *saved, vdi_error *err) {
    static const char where[] = "vdi_sacd_restore";
    const bool training = vdi__state_find(saved, "replay") != NULL;
    const int64_t before = vdi_replay_added(g->replay), added = vdi__sacd_saved_added(saved);
    if (added < 0) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where, "expected four \"counters\" from 0 on");
    }
    if (training) vdi_replay_set_added(g->replay, added);
    const vdi_state *state = vdi_sacd_state(g, training);
    vdi_status status = vdi__state_copy(state, saved, false, err);
    if (status < 0) {
        vdi_replay_set_added(g->replay, before);
        return status;
    }
    status = vdi__state_copy(state, saved, true, err);
    return status < 0 ? status : vdi__sacd_valid(g, where, err);
}

VDI__DEF vdi_status vdi_sacd_desc_from_meta(const vdi_meta *meta, int64_t count, vdi_sacd_desc *out,
                                            vdi_error *err) {
    memset(out, 0, sizeof *out);
    vdi_status status = vdi_fields_read(&vdi__sacd_fields, out, meta, count, err);
    if (status < 0) return status;
    if (out->critic_rate == 0) out->critic_rate = out->rate; /* from before there were two */
    out->has_composite_weight = true;
    return vdi_sacd_desc_check(out, err);
}

VDI__DEF vdi_status vdi_sacd_from_state(const vdi_state *saved, vdi_pool *pool,
                                        const vdi_allocator *a, vdi_sacd **out, vdi_error *err) {
    vdi_sacd_desc desc;
    *out = NULL;
    vdi_status status = vdi_sacd_desc_from_meta(saved->meta, saved->meta_count, &desc, err);
    if (status < 0) return status;
    if (!vdi__state_find(saved, "replay")) desc.capacity = 1; /* it will only act */
    desc.pool = pool;
    desc.allocator = a;
    status = vdi_sacd_create(&desc, out, err);
    if (status < 0) return status;
    status = vdi_sacd_restore(*out, saved, err);
    if (status < 0) {
        vdi_sacd_destroy(*out);
        *out = NULL;
    }
    return status;
}
#endif
