/* model/sacd/act.h - the policy: actions for observations, and what the update needs of them later
 *
 * The functions are declared in model/sacd/sacd.h.
 *
 * The policy is a squashed Gaussian, a = tanh(u), u = mean + sd eps, log sd clamped to [-20, 2]:
 *     log pi = sum_k log N(u_k; mean_k, sd_k^2) - 2 (log 2 - u_k - softplus(-2 u_k))
 * which is exact for every u; or, where actions are choices, a softmax. An observation that is not
 * finite has no action: it is 0, with a status, since a rectifier may hide a NaN and a controller
 * must not be sent one.
 */
#ifndef VDI_MODEL_SACD_ACT_H
#define VDI_MODEL_SACD_ACT_H
#include "policy.h"

#endif /* VDI_MODEL_SACD_ACT_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_ACT_C)
#define VDI_MODEL_SACD_ACT_C

VDI__FN vdi_rng vdi__sacd_rng(const vdi_sacd *g, int what, int64_t count) {
    return vdi_rng_make(g->desc.seed, (uint64_t)what << 56 | (uint64_t)count);
}

/* vdi__actor_draw with the agent's own net and memory. */
VDI__FN vdi_status vdi__sacd_draw(vdi_sacd *g, const float *obs, vdi_rng *rng, float *action,
                                  double *log_pi) {
    vdi__actor actor;
    actor.net = &g->net;
    actor.kind = g->acting;
    actor.norm = &g->norm;
    actor.actions = (size_t)g->desc.actions;
    actor.block = g->policy.value;
    actor.x = g->act_x;
    actor.h = g->act_h;
    return vdi__actor_draw(&actor, obs, rng, action, log_pi);
}

/* A sample with the noise of an earlier or of the present one. */
VDI__FN vdi_status vdi__sacd_sample_as(vdi_sacd *g, int64_t act, const float *obs, float *action) {
    vdi_rng rng = vdi__sacd_rng(g, VDI__SACD_ACT, act);
    const vdi_status status = vdi__sacd_draw(g, obs, &rng, action, NULL);
    if (status >= 0) g->count.acts++;
    return status;
}

VDI__DEF vdi_status vdi_sacd_act(vdi_sacd *g, const float *obs, bool deterministic, float *action) {
    if (deterministic) return vdi__sacd_draw(g, obs, NULL, action, NULL);
    return vdi__sacd_sample_as(g, g->count.acts, obs, action);
}

/* One row of the policy's output into an action; false if it is not a number. */
VDI__FN bool vdi__policy_row(vdi_dtype t, size_t actions, const void *out, size_t b, void *action,
                             void *log_sd, size_t to) {
    bool ok = true;
    for (size_t k = 0; k < actions; k++) {
        const double mean = vdi__load(t, out, b * 2 * actions + k);
        const double raw = vdi__load(t, out, (b * 2 + 1) * actions + k);
        ok = ok && mean == mean;
        vdi__store(t, action, to + k, tanh(mean));
        if (log_sd) vdi__store(t, log_sd, to + k, vdi__log_sd(raw));
    }
    return ok;
}

VDI__FN bool vdi__policy_choices(vdi_dtype t, size_t actions, const void *out, size_t b,
                                 void *action, void *log_p, size_t to) {
    const double norm = vdi__choice_norm(t, out, b * actions, actions);
    for (size_t k = 0; k < actions; k++) {
        const double log_pi = vdi__load(t, out, b * actions + k) - norm;
        vdi__store(t, action, to + k, exp(log_pi));
        if (log_p) vdi__store(t, log_p, to + k, log_pi);
    }
    return norm - norm == 0;
}

/* Observations (rows,inputs) of dtype t as the nets see them: where they stand, or in `x`. */
VDI__FN const void *vdi__sacd_rows_seen(const vdi_sacd *g, size_t rows, const void *obs, void *x) {
    const size_t inputs = g->net.width[0];
    if (!g->norm.data) return obs;
    for (size_t i = 0; i < rows * inputs; i++) {
        const double z = vdi__load(g->desc.dtype, obs, i);
        vdi__store(g->desc.dtype, x, i, vdi__norm_of(&g->norm, i % inputs, z));
    }
    return x;
}

VDI__DEF vdi_status vdi_sacd_policy(vdi_sacd *g, int64_t n, const void *obs, void *action,
                                    void *log_sd) {
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions, inputs = g->net.width[0];
    vdi__sacd_space *s = &g->space[0];
    vdi_status status = VDI_OK;
    for (int64_t at = 0; at < n; at += g->critic->chunk) {
        const size_t rows = (size_t)VDI__MIN(g->critic->chunk, n - at);
        const void *raw = vdi__part(t, obs, (size_t)at * inputs);
        const void *x = vdi__sacd_rows_seen(g, rows, raw, s->x), *out = s->h[g->net.layers - 1];
        vdi__mlp_forward(&g->net, g->policy.value, rows, x, inputs, s->h);
        for (size_t b = 0; b < rows; b++) {
            const size_t to = ((size_t)at + b) * actions;
            const bool ok = g->desc.discrete
                                ? vdi__policy_choices(t, actions, out, b, action, log_sd, to)
                                : vdi__policy_row(t, actions, out, b, action, log_sd, to);
            const bool seen = !vdi_count_nonfinite(t, inputs, vdi__part(t, raw, b * inputs));
            for (size_t k = 0; k < actions && !(seen && ok);
                 k++) { /* whatever the net made of it */
                vdi__store(t, action, to + k, 0);
                if (log_sd && !seen) vdi__store(t, log_sd, to + k, VDI__LOG_SD_MIN);
            }
            if (!seen) status = VDI_ERR_DATA;
            if (!ok && status >= 0) status = VDI_ERR_NUMERIC;
        }
    }
    return status;
}

/* In one of `lanes` environments that take turns: each has noise of its own. */
VDI__FN vdi_status vdi__sacd_explore(vdi_sacd *g, int64_t lanes, const float *obs, float *action) {
    if (g->count.steps >= g->desc.start) {
        const int64_t round = g->count.acts / lanes, held = round % g->desc.noise_hold;
        return vdi__sacd_sample_as(g, g->count.acts - held * lanes, obs, action);
    }
    const bool finite = vdi__all_finite(obs, g->desc.observations);
    vdi_rng rng = vdi__sacd_rng(g, VDI__SACD_ACT, g->count.acts);
    if (!finite) {
        memset(action, 0, (size_t)g->desc.actions * sizeof *action);
        return VDI_ERR_DATA;
    }
    g->acting->uniform(&rng, (size_t)g->desc.actions, action);
    g->count.acts++;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_sacd_explore(vdi_sacd *g, const float *obs, float *action) {
    return vdi__sacd_explore(g, 1, obs, action);
}

VDI__DEF vdi_status vdi_sacd_observe(vdi_sacd *g, const float *obs, const float *action,
                                     const float *reward, const float *next, int end,
                                     vdi_error *err) {
    if (!g->acting->valid((size_t)g->desc.actions, action)) {
        int64_t k = 0;
        while (!g->desc.discrete && !(action[k] < -1) && !(action[k] > 1))
            k++;
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_sacd_observe",
                             "action %lld is %g: expected %s", (long long)k, (double)action[k],
                             g->desc.discrete ? "a choice, 1 among zeros" : "-1 to 1");
    }
    vdi_status status = vdi_replay_add(g->replay, obs, action, reward, next, end, err);
    if (status < 0) return status;
    g->count.steps++;
    vdi__norm_add(&g->norm, obs);
    return VDI_OK;
}

VDI__DEF bool vdi_sacd_due(const vdi_sacd *g) {
    return g->count.steps >= g->desc.start && g->count.steps % g->desc.update_every == 0;
}
#endif
