/* model/sacd/explain.h - which part of the reward drives a decision, and what would other weights
   do?
 *
 * Do this:
 *     vdi_rng rng = vdi_rng_make(1, 0);
 *     float actions[64 * 2];                                      64 candidates of two numbers
 *     double q0[64 * 4], q1[64 * 4], rdx[4], weights[4] = {1, 1, 0.5, 1};        four heads
 *     bool plus[4];
 *     if (vdi_sacd_candidates(agent, obs, &rng, 64, actions) < 0) puts("not finite");
 *     if (vdi_sacd_action_values(agent, obs, 64, actions, q0, q1) < 0) puts("not finite");
 *     int64_t best = vdi_what_if(64, 4, weights, q0, q1, NULL);
 *     vdi_reward_difference(4, weights, q0 + 4 * best, q0, rdx);            over the policy's own
 *     printf("%lld reasons\n", (long long)vdi_minimal_explanation(4, rdx, plus, NULL));
 *
 * On a critic whose heads are the components of the reward, with weights w:
 *     influence   I_i = |w_i| |d Q_i / d a|, relative I_i / sum: what pulls at the action
 *                 (MacGlashan et al. 2022); vdi_critic_influence has it for given actions
 *     what-if     candidate actions ranked under other weights, without learning anew
 *     RDX, MSX    reward difference w_i (Q_i(s,a) - Q_i(s,b)), and the fewest reasons for a that
 *                 outweigh all that speaks for b (Juozapaitis et al. 2019)
 *     taming      a component that drowns the others early is let in slowly
 * Whether values came true is the subject of model/sacd/trace.h.
 * Memory: the caller's arrays, and the agent's scratch. Threads: those of the agent. What it does
 * NOT do: say that an influence is good or bad. It grows with the weight and the scale of a reward.
 */
#ifndef VDI_MODEL_SACD_EXPLAIN_H
#define VDI_MODEL_SACD_EXPLAIN_H
#include "trace.h"

/** n candidate actions (n,actions) at an observation: the policy's mean, then samples of the policy
 *  and uniform ones in turn. Of choices: the likeliest, then the others in order, over and over, so
 *  with n the number of choices each of them once. Statuses as of vdi_sacd_act; those of the
 *  policy are 0 then. */
VDI_API vdi_status vdi_sacd_candidates(vdi_sacd *agent, const float *obs, vdi_rng *rng, int64_t n,
                                       float *actions);
/** Values of n actions at one observation: q0, q1 (n,heads) of the twins. VDI_ERR_DATA, and zeros,
 *  if a number is not finite. */
VDI_API vdi_status vdi_sacd_action_values(vdi_sacd *agent, const float *obs, int64_t n,
                                          const float *actions, double *q0, double *q1);
/** The best of n actions under other weights: the index of the largest min_j sum_i w_i Q_i^j, the
 *  first one of equals; *value (may be NULL) receives it. Sums run over i in rising order. weights
 *  (heads), NULL: all 1. An action whose sum is not a number is never the best; -1 if there is no
 *  other. */
VDI_API int64_t vdi_what_if(int64_t n, int64_t heads, const double *weights, const double *q0,
                            const double *q1, double *value);

/** Reward differences rdx (heads) = w_i (qa_i - qb_i); returns their sum: what speaks for a over
 *  b. */
VDI_API double vdi_reward_difference(int64_t heads, const double *weights, const double *qa,
                                     const double *qb, double *rdx);
/** Minimal sufficient explanation of a over b: `plus` (heads) marks the fewest positive differences
 *  that outweigh all the negative ones, `minus` (heads; may be NULL) the fewest negative ones that
 *  would outweigh `plus` if its least member were missing. Returns how many are in `plus`; -1 if
 *  even all of them do not suffice, which are then marked. */
VDI_API int64_t vdi_minimal_explanation(int64_t heads, const double *rdx, bool *plus, bool *minus);

/** Mean relative influence share (heads) at the policy's mean actions in n states drawn from the
 *  replay buffer. VDI_ERR_STATE if it is empty. */
VDI_API vdi_status vdi_sacd_mean_influence(vdi_sacd *agent, vdi_rng *rng, int64_t n, double *share,
                                           vdi_error *err);
/** Let in slowly what drowns the rest: each reward component whose mean relative influence exceeds
 *  `most` gets weight w most / share now, and its own weight w back along a straight line over
 *  `length` steps. Returns how many were changed, or a negative status. */
VDI_API int64_t vdi_sacd_tame(vdi_sacd *agent, vdi_rng *rng, int64_t n, double most, int64_t length,
                              vdi_error *err);

#endif /* VDI_MODEL_SACD_EXPLAIN_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_EXPLAIN_C)
#define VDI_MODEL_SACD_EXPLAIN_C

/* ---- other weights ------------------------------------------------------------------------- */

VDI__FN vdi_status vdi__choice_candidates(vdi_sacd *g, const float *obs, int64_t n,
                                          float *actions) {
    const int64_t a = g->desc.actions;
    const vdi_status status = n > 0 ? vdi__sacd_draw(g, obs, NULL, actions, NULL) : VDI_OK;
    const int64_t first = n > 0 && status >= 0 ? vdi_env_choice(a, actions) : 0;
    for (int64_t k = status >= 0 ? 1 : 0; k < n; k++) {
        const int64_t place = k % a;
        vdi_env_choose(a, place == 0 ? first : place <= first ? place - 1 : place, actions + k * a);
    }
    return status;
}

VDI__DEF vdi_status vdi_sacd_candidates(vdi_sacd *g, const float *obs, vdi_rng *rng, int64_t n,
                                        float *actions) {
    const int64_t a = g->desc.actions;
    vdi_status status = VDI_OK;
    if (g->desc.discrete) return vdi__choice_candidates(g, obs, n, actions);
    for (int64_t k = 0; k < n; k++) {
        float *action = actions + k * a;
        if (k % 2 == 1 || k == 0) {
            const vdi_status drawn = vdi__sacd_draw(g, obs, k ? rng : NULL, action, NULL);
            if (drawn < 0) status = drawn;
            continue;
        }
        for (int64_t i = 0; i < a; i++)
            action[i] = (float)(2 * vdi_rng_uniform(rng) - 1);
    }
    return status;
}

VDI__DEF vdi_status vdi_sacd_action_values(vdi_sacd *g, const float *obs, int64_t n,
                                           const float *actions, double *q0, double *q1) {
    vdi_critic *c = g->critic;
    vdi__critic_space *s = &c->space[0];
    const vdi_dtype t = g->desc.dtype;
    const size_t o = (size_t)g->desc.observations, a = (size_t)g->desc.actions;
    const size_t heads = (size_t)g->heads;
    const int top = c->net.layers - 1;
    if (!vdi__all_finite(obs, g->desc.observations) ||
        !vdi__all_finite(actions, n * g->desc.actions)) {
        vdi__critic_blank(q0, n, g->heads, sizeof *q0);
        vdi__critic_blank(q1, n, g->heads, sizeof *q1);
        return VDI_ERR_DATA;
    }
    for (int64_t at = 0; at < n; at += c->chunk) {
        const size_t rows = (size_t)VDI__MIN(c->chunk, n - at);
        for (size_t b = 0; b < rows; b++) {
            vdi__sacd_see(&g->norm, t, o, obs, vdi__part(t, s->x, b * (o + a)));
            vdi__sacd_take(t, a, actions + ((size_t)at + b) * a,
                           vdi__part(t, s->x, b * (o + a) + o));
        }
        vdi__critic_twins(c, s, 0, rows, s->x);
        for (size_t i = 0; i < rows * heads; i++) {
            q0[(size_t)at * heads + i] = vdi__load(t, s->h[0][top], i);
            q1[(size_t)at * heads + i] = vdi__load(t, s->h[1][top], i);
        }
    }
    return VDI_OK;
}

VDI__DEF int64_t vdi_what_if(int64_t n, int64_t heads, const double *weights, const double *q0,
                             const double *q1, double *value) {
    int64_t best = -1;
    double most = 0;
    for (int64_t k = 0; k < n; k++) {
        double least;
        (void)vdi__minimum_whole(VDI_F64, (size_t)(k * heads), heads, weights, q0, q1, &least);
        if (least != least || !(best < 0 || least > most)) continue;
        best = k;
        most = least;
    }
    if (value) *value = most;
    return best;
}

/* ---- reasons ------------------------------------------------------------------------------- */

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
   and *least of the marked. */
VDI__FN double vdi__explain_take(int64_t heads, const double *rdx, double sign, double need,
                                 bool *mark, int64_t *count, double *least) {
    double sum = 0;
    *count = 0;
    *least = 0;
    while (!(sum > need)) {
        int64_t best = -1;
        for (int64_t i = 0; i < heads; i++) {
            if (mark[i] || !(sign * rdx[i] > 0)) continue;
            if (best < 0 || sign * rdx[i] > sign * rdx[best]) best = i;
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
    if (minus) {
        (void)vdi__explain_take(heads, rdx, -1, sum - least, minus, &members, &ignored);
    }
    return count;
}

/* ---- schedules from influence -------------------------------------------------------------- */

VDI__DEF vdi_status vdi_sacd_mean_influence(vdi_sacd *g, vdi_rng *rng, int64_t n, double *share,
                                            vdi_error *err) {
    static const char where[] = "vdi_sacd_mean_influence";
    const int64_t count = vdi_replay_count(g->replay);
    if (count < 1 || n < 1) {
        return vdi_error_set(err, VDI_ERR_STATE, where,
                             "%lld states out of %lld transitions: expected 1 or more of both",
                             (long long)n, (long long)count);
    }
    vdi_sacd_weights(g, g->weights);
    for (int64_t i = 0; i < g->heads; i++)
        share[i] = 0;
    for (int64_t k = 0; k < n; k++) {
        const int64_t index = (int64_t)vdi_rng_below(rng, (uint64_t)count);
        const float *obs = vdi_replay_get(g->replay, index).obs;
        double sum = 1e-5;
        vdi_status status = vdi__sacd_draw(g, obs, NULL, g->action, NULL);
        if (status >= 0) {
            status = vdi__sacd_look(g, obs, g->action, g->weights, NULL, g->influence);
        }
        if (status < 0) {
            return vdi_error_set(err, status, where, "no finite action in transition %lld",
                                 (long long)index);
        }
        for (int64_t i = 0; i < g->heads; i++)
            sum += g->influence[i];
        for (int64_t i = 0; i < g->heads; i++)
            share[i] += g->influence[i] / sum / (double)n;
    }
    return VDI_OK;
}

VDI__DEF int64_t vdi_sacd_tame(vdi_sacd *g, vdi_rng *rng, int64_t n, double most, int64_t length,
                               vdi_error *err) {
    double share[VDI_CRITIC_HEADS];
    int64_t changed = 0;
    if (!g->form->split) {
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
    vdi_sacd_weights(g, g->weights);
    for (int64_t i = 0; i < g->desc.components; i++) {
        if (!(share[i] > most)) continue;
        const double w = g->weights[i];
        status =
            vdi_sacd_schedule_weight(g, i, w * most / share[i], w, g->count.steps, length, err);
        if (status < 0) return status;
        changed++;
    }
    return changed;
}
#endif
