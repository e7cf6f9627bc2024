/* model/sacd/explain.h - which part of the reward drives a decision, and is it predicted well?
 *
 * Do this:
 *     vdi_sacd_trace *trace;
 *     vdi_value_check check = VDI__ZERO;
 *     if (vdi_sacd_trace_create(agent, 1000, NULL, &trace, &err) < 0) puts(err.message);
 *     if (vdi_sacd_trace_play(trace, agent, &env, seed, 0, false, &err) < 0)
 *         puts(err.message);
 *     vdi_value_check_add(&check, trace);   values, influence and returns of the episode
 *     vdi_value_error e = vdi_value_check_head(&check, 2);   bias, RMSE of the third component
 *     vdi_sacd_trace_destroy(trace);
 *
 * On a critic whose heads are the components of the reward, with weights w:
 *   influence      I_i = |w_i| |d Q_i / d a|, relative I_i / sum: what pulls at the action
 *                  (MacGlashan et al. 2022)
 *   value check    Q_i against the discounted sum G_i that was then realised: bias, RMSE, slope of
 *                  G on Q, explained variance. A component that stays unexplained while others are
 *                  not can't be learned from these observations
 *   what-if        candidate actions ranked under other weights, without learning anew
 *   RDX, MSX       reward difference w_i (Q_i(s,a) - Q_i(s,b)), and the fewest reasons for a that
 *                  outweigh all that speaks for b (Juozapaitis et al. 2019)
 *   schedule       a component that drowns the others early is let in slowly
 * Memory: a trace is taken at create; the rest works in the caller's arrays. Threads: those of the
 * agent. What it does NOT do: say that an influence is good or bad. It grows with the weight and
 * the scale of a reward.
 */
#ifndef VDI_MODEL_SACD_EXPLAIN_H
#define VDI_MODEL_SACD_EXPLAIN_H
#include "sacd.h"

/** One episode as the agent saw it. Read the members; `heads` is components + 1 (1 for SAC). */
typedef struct vdi_sacd_trace {
    int64_t capacity;                          /**< steps there is room for */
    int64_t steps;                             /**< steps of the episode */
    int64_t heads;                             /**< of the agent's critic */
    int64_t observations, actions, components; /**< sizes, of the agent */
    int end;                                   /**< VDI_ENV_ flags of the last step; 0: it was cut
                                                    off for want of room */
    float *obs;                                /**< (steps, observations) before each step */
    float *action;                             /**< (steps, actions) */
    float *reward;                             /**< (steps, components) */
    double *value;                             /**< (steps, heads) of the smaller twin, not
                                                    weighted */
    double *influence;                         /**< (steps, heads) |w_i| |d Q_i / d a| of the first
                                                    twin */
    double *returns;
    /**< (steps, heads) realised: sum of gamma^k r_i, the entropy's from the next step on; goes on
         with `value` after a time-out */
    double *log_pi;          /**< (steps) of the action; 0 where it was deterministic */
    double *weights;         /**< (components + 1) those of the agent then */
    vdi_allocator allocator; /**< where the memory came from */
} vdi_sacd_trace;

/** Room for episodes of up to `capacity` steps of this agent; `a` NULL: malloc. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_trace_create(const vdi_sacd *agent, int64_t capacity,
                                                       const vdi_allocator *a, vdi_sacd_trace **out,
                                                       vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_sacd_trace_destroy(vdi_sacd_trace *trace);
/** Play episode (seed, episode) and record it. Values are those of the sampling policy: to compare
 * them with returns, sample. The same
 *  arguments give the same episode. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_trace_play(vdi_sacd_trace *trace, vdi_sacd *agent,
                                                     vdi_env *env, uint64_t seed, uint64_t episode,
                                                     bool deterministic, vdi_error *err);

/** Sums over pairs of value and return. Begin with all zero. */
typedef struct vdi_value_check {
    int64_t heads; /**< of the traces */
    double count;  /**< pairs */
    double q[VDI_CRITIC_HEADS], g[VDI_CRITIC_HEADS];
    /**< means of Q and G */
    double qq[VDI_CRITIC_HEADS], gg[VDI_CRITIC_HEADS], qg[VDI_CRITIC_HEADS];
    /**< sums of squares and products about them */
} vdi_value_check;
/** How well one head predicts. NaN where there is nothing to say (no pairs, no variance). */
typedef struct vdi_value_error {
    double count;     /**< pairs */
    double mean;      /**< of the returns */
    double bias;      /**< mean of Q - G */
    double rmse;      /**< root of the mean square of Q - G */
    double slope;     /**< of G on Q: 1 is calibrated, below 1 overstates differences */
    double explained; /**< 1 - var(G - Q) / var(G): 1 is perfect, 0 no better than a constant */
} vdi_value_error;
/** Add every step of a trace. */
VDI_API void vdi_value_check_add(vdi_value_check *check, const vdi_sacd_trace *trace);
/** Add n pairs (n,heads) of any source. */
VDI_API void vdi_value_check_pairs(vdi_value_check *check, int64_t n, int64_t heads,
                                   const double *value, const double *returns);
/** What is known of one head. */
VDI_API vdi_value_error vdi_value_check_head(const vdi_value_check *check, int64_t head);

/** n candidate actions (n,actions) at an observation: the policy's mean, then samples of the policy
 * and uniform ones in turn. */
VDI_API void vdi_sacd_candidates(vdi_sacd *agent, const float *obs, vdi_rng *rng, int64_t n,
                                 float *actions);
/** Values of n actions at one observation: q0, q1 (n,heads) of the twins. */
VDI_API void vdi_sacd_action_values(vdi_sacd *agent, const float *obs, int64_t n,
                                    const float *actions, double *q0, double *q1);
/** The best of n actions under other weights: the index of the largest min_j sum_i w_i Q_i^j, the
 * first one of equals; *value receives it.
 *  Sums run over i in rising order. weights (heads), NULL: all 1. -1 if n < 1. */
VDI_API int64_t vdi_what_if(int64_t n, int64_t heads, const double *weights, const double *q0,
                            const double *q1, double *value);

/** Reward differences rdx (heads) = w_i (qa_i - qb_i); returns their sum: what speaks for a over
 * b. */
VDI_API double vdi_reward_difference(int64_t heads, const double *weights, const double *qa,
                                     const double *qb, double *rdx);
/** Minimal sufficient explanation of a over b: `plus` (heads) marks the fewest positive differences
 * that outweigh all the negative ones, `minus` (heads; may be NULL) the fewest negative ones that
 * would outweigh `plus` if its least member were missing. Returns how many are in `plus`; -1 if
 * even all of them do not suffice, which are then marked. */
VDI_API int64_t vdi_minimal_explanation(int64_t heads, const double *rdx, bool *plus, bool *minus);

/** Mean relative influence share (heads) at the policy's mean actions in n states drawn from the
 * replay buffer. VDI_ERR_STATE if it is empty. */
VDI_API vdi_status vdi_sacd_mean_influence(vdi_sacd *agent, vdi_rng *rng, int64_t n, double *share,
                                           vdi_error *err);
/** Let in slowly what drowns the rest: each reward component whose mean relative influence exceeds
 * `most` gets weight w most / share now,
 *  and its own weight w back along a straight line over `length` steps. Returns how many were
 *  changed, or a negative status. */
VDI_API int64_t vdi_sacd_tame(vdi_sacd *agent, vdi_rng *rng, int64_t n, double most, int64_t length,
                              vdi_error *err);

#endif /* VDI_MODEL_SACD_EXPLAIN_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_EXPLAIN_C)
#define VDI_MODEL_SACD_EXPLAIN_C

enum { VDI__SACD_TRACE = 9 }; /* a random stream of its own, beside those of training */

/* ---- an episode ------------------------------------------------------------------------------ */

VDI__FN size_t vdi__trace_bytes(int64_t capacity, int64_t each, size_t size) {
    return vdi_mul_size(vdi_mul_size((size_t)capacity, (size_t)each), size);
}

VDI__DEF vdi_status vdi_sacd_trace_create(const vdi_sacd *g, int64_t capacity,
                                          const vdi_allocator *a, vdi_sacd_trace **out,
                                          vdi_error *err) {
    static const char where[] = "vdi_sacd_trace_create";
    *out = NULL;
    if (capacity < 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "room for %lld steps: expected 1 or more", (long long)capacity);
    }
    vdi_sacd_trace *t = (vdi_sacd_trace *)vdi_alloc(a, sizeof *t);
    if (!t) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    memset(t, 0, sizeof *t);
    t->allocator = vdi_allocator_defaults(a);
    t->capacity = capacity;
    t->heads = g->heads;
    t->observations = g->desc.observations;
    t->actions = g->desc.actions;
    t->components = g->desc.components;
    t->obs = (float *)vdi_alloc(a, vdi__trace_bytes(capacity, t->observations, sizeof(float)));
    t->action = (float *)vdi_alloc(a, vdi__trace_bytes(capacity, t->actions, sizeof(float)));
    t->reward = (float *)vdi_alloc(a, vdi__trace_bytes(capacity, t->components, sizeof(float)));
    t->value = (double *)vdi_alloc(a, vdi__trace_bytes(capacity, t->heads, sizeof(double)));
    t->influence = (double *)vdi_alloc(a, vdi__trace_bytes(capacity, t->heads, sizeof(double)));
    t->returns = (double *)vdi_alloc(a, vdi__trace_bytes(capacity, t->heads, sizeof(double)));
    t->log_pi = (double *)vdi_alloc(a, vdi__trace_bytes(capacity, 1, sizeof(double)));
    t->weights = (double *)vdi_alloc(a, vdi__trace_bytes(t->components + 1, 1, sizeof(double)));
    if (!t->obs || !t->action || !t->reward || !t->value || !t->influence || !t->returns ||
        !t->log_pi || !t->weights) {
        vdi_sacd_trace_destroy(t);
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for a trace of %lld steps",
                             (long long)capacity);
    }
    *out = t;
    return VDI_OK;
}

VDI__DEF void vdi_sacd_trace_destroy(vdi_sacd_trace *t) {
    if (!t) return;
    vdi_allocator a = t->allocator;
    vdi_free(&a, t->obs, vdi__trace_bytes(t->capacity, t->observations, sizeof(float)));
    vdi_free(&a, t->action, vdi__trace_bytes(t->capacity, t->actions, sizeof(float)));
    vdi_free(&a, t->reward, vdi__trace_bytes(t->capacity, t->components, sizeof(float)));
    vdi_free(&a, t->value, vdi__trace_bytes(t->capacity, t->heads, sizeof(double)));
    vdi_free(&a, t->influence, vdi__trace_bytes(t->capacity, t->heads, sizeof(double)));
    vdi_free(&a, t->returns, vdi__trace_bytes(t->capacity, t->heads, sizeof(double)));
    vdi_free(&a, t->log_pi, vdi__trace_bytes(t->capacity, 1, sizeof(double)));
    vdi_free(&a, t->weights, vdi__trace_bytes(t->components + 1, 1, sizeof(double)));
    vdi_free(&a, t, sizeof *t);
}

/* Values of the smaller twin and influence at (obs, action); either may be NULL. */
VDI__FN void vdi__sacd_look(vdi_sacd *g, const float *obs, const float *action,
                            const double *weights, double *value, double *influence) {
    /* of the agent's dtype */
    double x[VDI_ENV_MAX_OBSERVATIONS], a[VDI_ENV_MAX_ACTIONS], q[VDI_CRITIC_HEADS];
    const vdi_dtype t = g->desc.dtype;
    const double *w = g->desc.algo == VDI_SACD_SAC ? NULL : weights;
    vdi__sacd_take(t, (size_t)g->desc.observations, obs, x);
    vdi__sacd_take(t, (size_t)g->desc.actions, action, a);
    if (value) {
        vdi_critic_best(g->critic, 0, VDI_CRITIC_COMPOSITE, 1, x, a, w, q, NULL, NULL);
        for (int64_t i = 0; i < g->heads; i++)
            value[i] = vdi__load(t, q, (size_t)i);
    }
    if (influence) vdi_critic_influence(g->critic, 1, x, a, w, influence);
}

/* Realised returns, from the end backwards. SAC's one head has the weighted sum and the entropy. */
VDI__FN void vdi__trace_returns(vdi_sacd_trace *t, const vdi_sacd *g) {
    const bool split = g->desc.algo != VDI_SACD_SAC;
    const double gamma = g->desc.gamma, alpha = vdi_sacd_alpha(g);
    double after[VDI_CRITIC_HEADS]; /* of what follows the step */
    const bool terminal = (t->end & VDI_ENV_TERMINATED) != 0;
    for (int64_t k = t->steps - 1; k >= 0; k--) {
        double *to = t->returns + k * t->heads;
        const double *q = t->value + k * t->heads;
        for (int64_t i = 0; i < t->heads; i++) {
            if (k == t->steps - 1 && !terminal) {
                /* nobody knows what would have come: the value itself */
                to[i] = q[i];
                continue;
            }
            double now = split && i < t->components ? (double)t->reward[k * t->components + i] : 0;
            for (int64_t c = 0; !split && c < t->components; c++)
                now += t->weights[c] * (double)t->reward[k * t->components + c];
            to[i] = now + (k == t->steps - 1 ? 0 : gamma * after[i]);
        }
        /* seen from the step before, the entropy of this one counts too */
        memcpy(after, to, (size_t)t->heads * sizeof *to);
        after[t->heads - 1] -= alpha * t->log_pi[k];
    }
}

VDI__DEF vdi_status vdi_sacd_trace_play(vdi_sacd_trace *t, vdi_sacd *g, vdi_env *env, uint64_t seed,
                                        uint64_t episode, bool deterministic, vdi_error *err) {
    vdi_sacd_episode e = VDI__ZERO;
    vdi_rng rng = vdi_rng_make(seed, (uint64_t)VDI__SACD_TRACE << 56 | episode);
    vdi_status status = vdi__sacd_fits(g, env, err);
    t->steps = 0;
    t->end = 0;
    if (status >= 0 && (t->heads != g->heads || t->observations != g->desc.observations ||
                        t->actions != g->desc.actions || t->components != g->desc.components)) {
        status = vdi_error_set(err, VDI_ERR_SHAPE, "vdi_sacd_trace_play",
                               "the trace was made for an agent of other sizes");
    }
    e.index = (int64_t)episode;
    if (status >= 0) status = vdi__sacd_env_begin(env, seed, &e, err);
    vdi_sacd_weights(g, t->weights);
    while (status >= 0 && !e.end && t->steps < t->capacity) {
        const int64_t k = t->steps;
        t->log_pi[k] = vdi__sacd_draw(g, e.obs, deterministic ? NULL : &rng, e.action);
        memcpy(t->obs + k * t->observations, e.obs, (size_t)t->observations * sizeof(float));
        memcpy(t->action + k * t->actions, e.action, (size_t)t->actions * sizeof(float));
        vdi__sacd_look(g, e.obs, e.action, t->weights, t->value + k * t->heads,
                       t->influence + k * t->heads);
        status = vdi__sacd_env_step(env, &e, e.obs, err);
        if (status < 0) break;
        memcpy(t->reward + k * t->components, e.reward, (size_t)t->components * sizeof(float));
        t->steps++;
    }
    t->end = e.end;
    if (status >= 0) vdi__trace_returns(t, g);
    return status;
}

/* ---- value against return -------------------------------------------------------------------- */

VDI__DEF void vdi_value_check_pairs(vdi_value_check *c, int64_t n, int64_t heads,
                                    const double *value, const double *returns) {
    c->heads = VDI__MIN(heads, (int64_t)VDI_CRITIC_HEADS);
    for (int64_t k = 0; k < n; k++) { /* Welford, for both at once */
        c->count += 1;
        for (int64_t i = 0; i < c->heads; i++) {
            const double q = value[k * heads + i];
            const double g = returns[k * heads + i];
            const double dq = q - c->q[i];
            const double dg = g - c->g[i];
            c->q[i] += dq / c->count;
            c->g[i] += dg / c->count;
            c->qq[i] += dq * (q - c->q[i]);
            c->gg[i] += dg * (g - c->g[i]);
            c->qg[i] += dq * (g - c->g[i]);
        }
    }
}

VDI__DEF void vdi_value_check_add(vdi_value_check *c, const vdi_sacd_trace *t) {
    vdi_value_check_pairs(c, t->steps, t->heads, t->value, t->returns);
}

VDI__DEF vdi_value_error vdi_value_check_head(const vdi_value_check *c, int64_t i) {
    vdi_value_error e;
    const double spread = c->qq[i] + c->gg[i] - 2 * c->qg[i]; /* of Q - G about its mean */
    e.count = c->count;
    e.mean = c->count > 0 ? c->g[i] : NAN;
    e.bias = c->count > 0 ? c->q[i] - c->g[i] : NAN;
    e.rmse = c->count > 0 ? sqrt(e.bias * e.bias + VDI__MAX(spread, 0) / c->count) : NAN;
    e.slope = c->qq[i] > 0 ? c->qg[i] / c->qq[i] : NAN;
    e.explained = c->gg[i] > 0 ? 1 - spread / c->gg[i] : NAN;
    return e;
}

/* ---- other weights --------------------------------------------------------------------------- */

VDI__DEF void vdi_sacd_candidates(vdi_sacd *g, const float *obs, vdi_rng *rng, int64_t n,
                                  float *actions) {
    const int64_t a = g->desc.actions;
    for (int64_t k = 0; k < n; k++) {
        if (k % 2 == 1 || k == 0) {
            (void)vdi__sacd_draw(g, obs, k ? rng : NULL, actions + k * a);
        } else {
            for (int64_t i = 0; i < a; i++)
                actions[k * a + i] = (float)(2 * vdi_rng_uniform(rng) - 1);
        }
    }
}

VDI__DEF void vdi_sacd_action_values(vdi_sacd *g, const float *obs, int64_t n, const float *actions,
                                     double *q0, double *q1) {
    vdi_critic *c = g->critic;
    vdi__critic_space *s = &c->space[0];
    const vdi_dtype t = g->desc.dtype;
    const size_t o = (size_t)g->desc.observations, a = (size_t)g->desc.actions;
    const int top = c->net.layers - 1;
    for (int64_t at = 0; at < n; at += c->chunk) {
        const size_t rows = (size_t)VDI__MIN(c->chunk, n - at);
        for (size_t b = 0; b < rows; b++) {
            vdi__sacd_take(t, o, obs, vdi__part(t, s->x, b * (o + a)));
            vdi__sacd_take(t, a, actions + ((size_t)at + b) * a,
                           vdi__part(t, s->x, b * (o + a) + o));
        }
        vdi__critic_twins(c, s, 0, rows, s->x);
        for (size_t i = 0; i < rows * (size_t)g->heads; i++) {
            q0[at * g->heads + (int64_t)i] = vdi__load(t, s->h[0][top], i);
            q1[at * g->heads + (int64_t)i] = vdi__load(t, s->h[1][top], i);
        }
    }
}

VDI__DEF int64_t vdi_what_if(int64_t n, int64_t heads, const double *weights, const double *q0,
                             const double *q1, double *value) {
    int64_t best = -1;
    double most = 0;
    for (int64_t k = 0; k < n; k++) {
        double sum[2] = {0, 0};
        for (int64_t i = 0; i < heads; i++) {
            const double w = weights ? weights[i] : 1;
            sum[0] += w * q0[k * heads + i];
            sum[1] += w * q1[k * heads + i];
        }
        const double v = sum[1] < sum[0] ? sum[1] : sum[0];
        if (best < 0 || v > most) {
            best = k;
            most = v;
        }
    }
    if (value) *value = most;
    return best;
}

/* ---- reasons --------------------------------------------------------------------------------- */

VDI__DEF double vdi_reward_difference(int64_t heads, const double *weights, const double *qa,
                                      const double *qb, double *rdx) {
    double sum = 0;
    for (int64_t i = 0; i < heads; i++) {
        rdx[i] = (weights ? weights[i] : 1) * (qa[i] - qb[i]);
        sum += rdx[i];
    }
    return sum;
}

/* Marks the largest entries of sign * rdx until their sum exceeds `need`; returns the sum, *count
 * and *least of the marked. */
VDI__FN double vdi__explain_take(int64_t heads, const double *rdx, double sign, double need,
                                 bool *mark, int64_t *count, double *least) {
    double sum = 0;
    *count = 0;
    *least = 0;
    while (!(sum > need)) {
        int64_t best = -1;
        for (int64_t i = 0; i < heads; i++) {
            if (!mark[i] && sign * rdx[i] > 0 && (best < 0 || sign * rdx[i] > sign * rdx[best]))
                best = i;
        }
        if (best < 0) break;
        mark[best] = true;
        *least = sign * rdx[best];
        sum += *least;
        ++*count;
    }
    return sum;
}

VDI__DEF int64_t vdi_minimal_explanation(int64_t heads, const double *rdx, bool *plus,
                                         bool *minus) {
    double against = 0, least, ignored;
    int64_t count, members;
    for (int64_t i = 0; i < heads; i++) {
        plus[i] = false;
        if (minus) minus[i] = false;
        if (rdx[i] < 0) against -= rdx[i];
    }
    const double sum = vdi__explain_take(heads, rdx, 1, against, plus, &count, &least);
    if (!(sum > against)) return -1;
    if (minus) (void)vdi__explain_take(heads, rdx, -1, sum - least, minus, &members, &ignored);
    return count;
}

/* ---- schedules from influence ---------------------------------------------------------------- */

VDI__DEF vdi_status vdi_sacd_mean_influence(vdi_sacd *g, vdi_rng *rng, int64_t n, double *share,
                                            vdi_error *err) {
    const int64_t count = vdi_replay_count(g->replay);
    double weights[VDI_ENV_MAX_COMPONENTS + 1], influence[VDI_CRITIC_HEADS];
    float action[VDI_ENV_MAX_ACTIONS];
    if (count < 1 || n < 1) {
        return vdi_error_set(err, VDI_ERR_STATE, "vdi_sacd_mean_influence",
                             "%lld states out of %lld transitions: expected 1 or more of both",
                             (long long)n, (long long)count);
    }
    vdi_sacd_weights(g, weights);
    for (int64_t i = 0; i < g->heads; i++)
        share[i] = 0;
    for (int64_t k = 0; k < n; k++) {
        vdi_transition r = vdi_replay_get(g->replay, (int64_t)vdi_rng_below(rng, (uint64_t)count));
        double sum = 1e-5;
        (void)vdi__sacd_draw(g, r.obs, NULL, action);
        vdi__sacd_look(g, r.obs, action, weights, NULL, influence);
        for (int64_t i = 0; i < g->heads; i++)
            sum += influence[i];
        for (int64_t i = 0; i < g->heads; i++)
            share[i] += influence[i] / sum / (double)n;
    }
    return VDI_OK;
}

VDI__DEF int64_t vdi_sacd_tame(vdi_sacd *g, vdi_rng *rng, int64_t n, double most, int64_t length,
                               vdi_error *err) {
    double share[VDI_CRITIC_HEADS], weights[VDI_ENV_MAX_COMPONENTS + 1];
    int64_t changed = 0;
    if (g->desc.algo == VDI_SACD_SAC) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, "vdi_sacd_tame",
                             "SAC has one head: there are no components to weigh");
    }
    if (!(most > 0 && most <= 1) || length < 1) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, "vdi_sacd_tame",
            "a share of %g over %lld steps: expected 0 < share <= 1, 1 step or more", most,
            (long long)length);
    }
    vdi_status status = vdi_sacd_mean_influence(g, rng, n, share, err);
    if (status < 0) return status;
    vdi_sacd_weights(g, weights);
    for (int64_t i = 0; i < g->desc.components; i++) {
        if (share[i] > most) {
            status = vdi_sacd_schedule_weight(g, i, weights[i] * most / share[i], weights[i],
                                              g->counter[VDI__SACD_STEPS], length, err);
            if (status < 0) return status;
            changed++;
        }
    }
    return changed;
}
#endif
