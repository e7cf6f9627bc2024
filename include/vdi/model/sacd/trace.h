/* model/sacd/trace.h - one episode as the agent observed it, and whether its values came true
 *
 * Do this:
 *     vdi_sacd_trace *trace;
 *     vdi_value_check check = VDI__ZERO;
 *     if (vdi_sacd_trace_create(agent, 1000, NULL, &trace, &err) < 0) puts(err.message);
 *     if (vdi_sacd_trace_play(trace, agent, &env, seed, 0, false, &err) < 0) puts(err.message);
 *     vdi_value_check_add(&check, trace);
 *     vdi_value_error third = vdi_value_check_head(&check, 2);
 *     printf("bias %g, slope %g\n", third.bias, third.slope);
 *     vdi_sacd_trace_destroy(trace);
 *
 * A trace holds, for each step and head, the value Q_i, the influence |w_i| |d Q_i / d a| and the
 * discounted sum of what was then realised,
 *     G_i(t) = sum_k gamma^k r_i(t+k),    the entropy's from t+1 on: -alpha log pi
 * The value check compares Q_i with G_i: bias, RMSE, slope of G on Q, explained variance. If the
 * values of one component explain nothing while those of others do, that component cannot be
 * predicted from these observations. Values are those of the stochastic policy: to compare them
 * with returns, sample actions.
 * After a time-out the further rewards are unknown. Where the environment can (`goes_on`, or its
 * limit was not its own), the episode continues until the remaining discount is below a twentieth;
 * otherwise the value itself completes the return, and the check leaves out the steps for which it
 * would be a larger part than that, since the comparison would be circular.
 * Memory: a trace is taken at create; the check is a struct. Threads: those of the agent.
 */
#ifndef VDI_MODEL_SACD_TRACE_H
#define VDI_MODEL_SACD_TRACE_H
#include "episode.h"

/** One episode as the agent saw it. Read the members; `heads` is components + 1 (1 for SAC). */
typedef struct vdi_sacd_trace {
    int64_t capacity;                          /**< steps that fit */
    int64_t steps;                             /**< steps of the episode */
    int64_t heads;                             /**< of the agent's critic */
    int64_t observations, actions, components; /**< sizes, of the agent */
    int end;           /**< VDI_ENV_ flags of the last step; 0: it did not fit as a whole */
    float *obs;        /**< (steps, observations) before each step */
    float *action;     /**< (steps, actions) */
    float *reward;     /**< (steps, components) */
    double *value;     /**< (steps, heads) of the smaller twin, not weighted */
    double *influence; /**< (steps, heads) |w_i| |d Q_i / d a| of the first twin */
    double *returns;   /**< (steps, heads) G */
    double *after;     /**< (heads) what was realised after the last step, seen from there */
    int64_t beyond;    /**< steps played on after a time-out */
    int64_t known;     /**< of so many first steps the return is known but for a twentieth */
    double *log_pi;    /**< (steps) of the action; 0 where it was deterministic */
    double *weights;   /**< (components + 1) those of the agent then */
    vdi_arena arena;   /**< where all of it stands */
} vdi_sacd_trace;

/** For episodes of up to `capacity` steps of this agent; `a` NULL: malloc. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_trace_create(const vdi_sacd *agent, int64_t capacity,
                                                       const vdi_allocator *a, vdi_sacd_trace **out,
                                                       vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_sacd_trace_destroy(vdi_sacd_trace *trace);
/** Play episode (seed, episode) and record it. The same arguments give the same episode. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_trace_play(vdi_sacd_trace *trace, vdi_sacd *agent,
                                                     vdi_env *env, uint64_t seed, uint64_t episode,
                                                     bool deterministic, vdi_error *err);

/** Sums over pairs of value and return. Begin with all zero. */
typedef struct vdi_value_check {
    int64_t heads;               /**< of the traces */
    double beyond;               /**< steps that were played on after time-outs */
    double left_out;             /**< steps whose return is not known */
    double count;                /**< pairs */
    double q[VDI_CRITIC_HEADS];  /**< means of Q */
    double g[VDI_CRITIC_HEADS];  /**< means of G */
    double qq[VDI_CRITIC_HEADS]; /**< sums of squares of Q about its mean */
    double gg[VDI_CRITIC_HEADS]; /**< likewise of G */
    double qg[VDI_CRITIC_HEADS]; /**< sums of products of both */
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
/** Add every step of a trace whose return is known. */
VDI_API void vdi_value_check_add(vdi_value_check *check, const vdi_sacd_trace *trace);
/** Add n pairs (n,heads) of any source; heads beyond VDI_CRITIC_HEADS are left out. */
VDI_API void vdi_value_check_pairs(vdi_value_check *check, int64_t n, int64_t heads,
                                   const double *value, const double *returns);
/** What is known of one head. */
VDI_API vdi_value_error vdi_value_check_head(const vdi_value_check *check, int64_t head);

#endif /* VDI_MODEL_SACD_TRACE_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_TRACE_C)
#define VDI_MODEL_SACD_TRACE_C

/* ---- memory -------------------------------------------------------------------------------- */

VDI__FN void *vdi__trace_array(vdi_sacd_trace *t, int64_t rows, int64_t cols, size_t size) {
    const size_t bytes = vdi_mul_size(vdi_mul_size((size_t)rows, (size_t)cols), size);
    return vdi_arena_calloc(&t->arena, bytes);
}

VDI__FN bool vdi__trace_reserve(vdi_sacd_trace *t) {
    const int64_t n = t->capacity;
    t->obs = (float *)vdi__trace_array(t, n, t->observations, sizeof(float));
    t->action = (float *)vdi__trace_array(t, n, t->actions, sizeof(float));
    t->reward = (float *)vdi__trace_array(t, n, t->components, sizeof(float));
    t->value = (double *)vdi__trace_array(t, n, t->heads, sizeof(double));
    t->influence = (double *)vdi__trace_array(t, n, t->heads, sizeof(double));
    t->returns = (double *)vdi__trace_array(t, n, t->heads, sizeof(double));
    t->after = (double *)vdi__trace_array(t, t->heads, 1, sizeof(double));
    t->log_pi = (double *)vdi__trace_array(t, n, 1, sizeof(double));
    t->weights = (double *)vdi__trace_array(t, t->components + 1, 1, sizeof(double));
    return t->obs && t->action && t->reward && t->value && t->influence && t->returns && t->after &&
           t->log_pi && t->weights;
}

VDI__DEF vdi_status vdi_sacd_trace_create(const vdi_sacd *g, int64_t capacity,
                                          const vdi_allocator *a, vdi_sacd_trace **out,
                                          vdi_error *err) {
    static const char where[] = "vdi_sacd_trace_create";
    const vdi_allocator allocator = vdi_allocator_defaults(a);
    *out = NULL;
    if (capacity < 1 || (uint64_t)capacity > SIZE_MAX) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%lld steps: expected 1 or more",
                             (long long)capacity);
    }
    vdi_sacd_trace *t = (vdi_sacd_trace *)vdi_alloc(&allocator, sizeof *t);
    if (!t) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    memset(t, 0, sizeof *t);
    vdi_arena_init(&t->arena, &allocator, 0);
    t->capacity = capacity;
    t->heads = g->heads;
    t->observations = g->desc.observations;
    t->actions = g->desc.actions;
    t->components = g->desc.components;
    if (!vdi__trace_reserve(t)) {
        vdi_sacd_trace_destroy(t);
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for a trace of %lld steps",
                             (long long)capacity);
    }
    *out = t;
    return VDI_OK;
}

VDI__DEF void vdi_sacd_trace_destroy(vdi_sacd_trace *t) {
    if (!t) return;
    vdi_allocator a = t->arena.allocator;
    vdi_arena_free(&t->arena);
    vdi_free(&a, t, sizeof *t);
}

/* ---- an episode ---------------------------------------------------------------------------- */

/* |w_i| times the mean of |Q_i(s,a) - Q_i(s,b)| over the choices b != a, of the first twin; obs and
   the choice stand in g->act_x and g->act_a. */
VDI__FN vdi_status vdi__choice_influence(vdi_sacd *g, const double *w, double *influence) {
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions;
    double *own = g->own;
    vdi_status status = VDI_OK;
    size_t chosen = 0;
    for (size_t k = 0; k < actions; k++) {
        if (vdi__load(t, g->act_a, k) > 0) chosen = k;
    }
    for (size_t turn = 0; turn <= actions && status >= 0; turn++) { /* the chosen one comes first */
        const size_t which = turn ? turn - 1 : chosen;
        for (size_t k = 0; k < actions; k++)
            vdi__store(t, g->act_a, k, k == which ? 1 : 0);
        status = vdi_critic_values(g->critic, VDI_CRITIC_FIRST, 1, g->act_x, g->act_a, g->act_q);
        for (int64_t i = 0; i < g->heads; i++) {
            const double q = vdi__load(t, g->act_q, (size_t)i);
            if (turn == 0) {
                own[i] = q;
                influence[i] = 0;
            } else {
                influence[i] += (w ? fabs(w[i]) : 1) * fabs(own[i] - q) /
                                (double)VDI__MAX(actions - 1, (size_t)1);
            }
        }
    }
    return status;
}

/* Values of the smaller twin and influence at (obs, action); either may be NULL. */
VDI__FN vdi_status vdi__sacd_look(vdi_sacd *g, const float *obs, const float *action,
                                  const double *weights, double *value, double *influence) {
    const vdi_dtype t = g->desc.dtype;
    const double *w = g->form->split ? weights : NULL;
    vdi_status status = VDI_OK;
    if (!vdi__all_finite(obs, g->desc.observations)) status = VDI_ERR_DATA;
    vdi__sacd_see(&g->norm, t, (size_t)g->desc.observations, obs, g->act_x);
    vdi__sacd_take(t, (size_t)g->desc.actions, action, g->act_a);
    if (value && status >= 0) {
        status = vdi_critic_best(g->critic, 0, VDI_CRITIC_COMPOSITE, 1, g->act_x, g->act_a, w,
                                 g->act_q, NULL, NULL);
        for (int64_t i = 0; i < g->heads; i++)
            value[i] = vdi__load(t, g->act_q, (size_t)i);
    }
    if (influence && status >= 0 && g->desc.discrete) return vdi__choice_influence(g, w, influence);
    if (influence && status >= 0) {
        status = vdi_critic_influence(g->critic, 1, g->act_x, g->act_a, w, influence);
    }
    return status;
}

VDI__DEF vdi_status vdi_sacd_influence(vdi_sacd *g, const float *obs, const float *action,
                                       double *influence) {
    vdi_sacd_weights(g, g->weights);
    vdi__critic_blank(influence, 1, g->heads, sizeof *influence);
    return vdi__sacd_look(g, obs, action, g->weights, NULL, influence);
}

/* The reward that head i is about: one component, their weighted sum, or none. */
VDI__FN double vdi__trace_reward(const vdi_sacd_trace *t, bool split, const float *reward,
                                 int64_t i) {
    double sum = 0;
    if (split) return i < t->components ? (double)reward[i] : 0;
    for (int64_t c = 0; c < t->components; c++)
        sum += t->weights[c] * (double)reward[c];
    return sum;
}

/* Realised returns, from the end backwards. SAC's one head has the weighted sum and the entropy. */
VDI__FN void vdi__trace_returns(vdi_sacd_trace *t, const vdi_sacd *g) {
    const double gamma = g->desc.gamma, alpha = vdi_sacd_alpha(g);
    const bool open = !(t->end & VDI_ENV_TERMINATED);
    double after[VDI_CRITIC_HEADS]; /* of what follows the step */
    memcpy(after, t->after, (size_t)t->heads * sizeof *after);
    for (int64_t k = t->steps - 1; k >= 0; k--) {
        double *to = t->returns + k * t->heads;
        const float *reward = t->reward + k * t->components;
        for (int64_t i = 0; i < t->heads; i++) {
            to[i] = vdi__trace_reward(t, g->form->split, reward, i) + gamma * after[i];
            if (k == t->steps - 1 && open && t->beyond == 0)
                to[i] = t->value[k * t->heads + i]; /* the value itself */
        }
        /* seen from the step before, the entropy of this one counts too */
        memcpy(after, to, (size_t)t->heads * sizeof *to);
        after[t->heads - 1] -= alpha * t->log_pi[k];
    }
}

/* What is not known may make up this much of a return. */
#define VDI__TRACE_UNKNOWN 0.05
enum { VDI__TRACE_BEYOND = 10000 };

/* On after a time-out, t->after being what is realised there, until it no longer counts; the value
   of the last state stands for the rest. Returns the share of that in the return of the last
   step. */
VDI__FN double vdi__trace_beyond(vdi_sacd_trace *t, vdi_sacd *g, vdi_env *env, vdi_sacd_episode *e,
                                 vdi_rng *rng) {
    const double gamma = g->desc.gamma, alpha = vdi_sacd_alpha(g);
    double share = gamma, now[VDI_CRITIC_HEADS], log_pi;
    double part = 1; /* gamma to the steps so far */
    int end = 0;
    while (share > 0) {
        if (vdi__sacd_draw(g, e->obs, rng, e->action, &log_pi) < 0) break;
        t->after[t->heads - 1] -= part * alpha * log_pi;
        if (share <= VDI__TRACE_UNKNOWN || t->beyond == VDI__TRACE_BEYOND) {
            if (vdi__sacd_look(g, e->obs, e->action, t->weights, now, NULL) < 0) break;
            for (int64_t i = 0; i < t->heads; i++)
                t->after[i] += part * now[i];
            return share;
        }
        if (vdi_env_step(env, e->action, e->next, e->reward, &end, NULL) < 0) break;
        for (int64_t i = 0; i < t->heads; i++)
            t->after[i] += part * vdi__trace_reward(t, g->form->split, e->reward, i);
        memcpy(e->obs, e->next, (size_t)t->observations * sizeof *e->obs);
        t->beyond++;
        part *= gamma;
        share = end & VDI_ENV_TERMINATED ? 0 : share * gamma;
    }
    return share;
}

/* What follows the last step, and how many steps know it. */
VDI__FN void vdi__trace_close(vdi_sacd_trace *t, vdi_sacd *g, vdi_env *env, vdi_sacd_episode *e,
                              bool own_end, vdi_rng *rng) {
    double share = 1;
    memset(t->after, 0, (size_t)t->heads * sizeof *t->after);
    t->beyond = 0;
    t->known = t->steps;
    if (t->end & VDI_ENV_TERMINATED) return;
    if (env->goes_on || !own_end) share = vdi__trace_beyond(t, g, env, e, rng);
    for (; t->known > 0 && share > VDI__TRACE_UNKNOWN; share *= g->desc.gamma)
        t->known--;
}

/* One step of the episode into row t->steps. */
VDI__FN vdi_status vdi__trace_step(vdi_sacd_trace *t, vdi_sacd *g, vdi_env *env,
                                   vdi_sacd_episode *e, vdi_rng *rng, vdi_error *err) {
    const int64_t k = t->steps;
    vdi_status status = vdi__sacd_draw(g, e->obs, rng, e->action, &t->log_pi[k]);
    memcpy(t->obs + k * t->observations, e->obs, (size_t)t->observations * sizeof(float));
    memcpy(t->action + k * t->actions, e->action, (size_t)t->actions * sizeof(float));
    if (status >= 0) {
        status = vdi__sacd_look(g, e->obs, e->action, t->weights, t->value + k * t->heads,
                                t->influence + k * t->heads);
    }
    if (status < 0) {
        return vdi_error_set(err, status, "vdi_sacd_trace_play",
                             "the agent has no finite action or value at step %lld", (long long)k);
    }
    status = vdi__episode_advance(env, e, e->obs, err);
    if (status < 0) return status;
    memcpy(t->reward + k * t->components, e->reward, (size_t)t->components * sizeof(float));
    t->steps++;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_sacd_trace_play(vdi_sacd_trace *t, vdi_sacd *g, vdi_env *env, uint64_t seed,
                                        uint64_t episode, bool deterministic, vdi_error *err) {
    vdi_sacd_episode *e = g->playing;
    vdi_rng rng = vdi_rng_make(seed, (uint64_t)VDI__SACD_TRACE << 56 | episode);
    vdi_status status = vdi__sacd_fits(g, env, err);
    t->steps = 0;
    t->end = 0;
    if (status >= 0 && (t->heads != g->heads || t->observations != g->desc.observations ||
                        t->actions != g->desc.actions || t->components != g->desc.components)) {
        status = vdi_error_set(err, VDI_ERR_SHAPE, "vdi_sacd_trace_play",
                               "the trace was made for an agent of other sizes");
    }
    if (status < 0) return status;
    e->index = (int64_t)episode;
    status = vdi__episode_begin(env, seed, e, err);
    vdi_sacd_weights(g, t->weights);
    while (status >= 0 && !e->end && t->steps < t->capacity)
        status = vdi__trace_step(t, g, env, e, deterministic ? NULL : &rng, err);
    t->end = e->end;
    if (status < 0) return status;
    /* a time-out of the environment's own, rather than of our limit or the trace's capacity? */
    vdi__trace_close(t, g, env, e, e->own_end != 0, deterministic ? NULL : &rng);
    vdi__trace_returns(t, g);
    return VDI_OK;
}

/* ---- value against return ------------------------------------------------------------------ */

VDI__DEF void vdi_value_check_pairs(vdi_value_check *c, int64_t n, int64_t heads,
                                    const double *value, const double *returns) {
    c->heads = VDI__MIN(heads, (int64_t)VDI_CRITIC_HEADS);
    for (int64_t k = 0; k < n; k++) { /* Welford, for both at once */
        c->count += 1;
        for (int64_t i = 0; i < c->heads; i++) {
            const double q = value[k * heads + i], g = returns[k * heads + i];
            const double dq = q - c->q[i], dg = g - c->g[i];
            c->q[i] += dq / c->count;
            c->g[i] += dg / c->count;
            c->qq[i] += dq * (q - c->q[i]);
            c->gg[i] += dg * (g - c->g[i]);
            c->qg[i] += dq * (g - c->g[i]);
        }
    }
}

VDI__DEF void vdi_value_check_add(vdi_value_check *c, const vdi_sacd_trace *t) {
    vdi_value_check_pairs(c, t->known, t->heads, t->value, t->returns);
    c->beyond += (double)t->beyond;
    c->left_out += (double)(t->steps - t->known);
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
#endif
