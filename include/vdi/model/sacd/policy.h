/* model/sacd/policy.h - the policy alone, copied out of an agent: acts in another thread or program
 *
 * Do this:
 *     vdi_policy *policy;
 *     const vdi_state *state = vdi_sacd_state(agent, false);       or the state of a loaded file
 *     if (vdi_policy_create(state, NULL, &policy, &err) < 0) puts(err.message);
 *     if (vdi_policy_act(policy, obs, NULL, action) < 0) puts("an observation is not finite");
 *     vdi_policy_destroy(policy);
 *
 * It holds a copy of the weights and the memory of one action, and nothing of what learns: no
 * critics, no transitions. vdi_policy_init makes one in the caller's block, for programs without an
 * allocator. The actions are the same bits as the agent's.
 * Memory: taken at create, about four bytes a weight. Errors: statuses; an observation that is not
 * finite gives the action 0. Threads: one policy per thread; vdi_policy_create reads the agent, so
 * not while that learns. What it does NOT do: follow the agent as it goes on learning.
 */
#ifndef VDI_MODEL_SACD_POLICY_H
#define VDI_MODEL_SACD_POLICY_H
#include "sacd.h"

/** A policy, made by vdi_policy_create or vdi_policy_init. */
typedef struct vdi_policy vdi_policy;
/** Bytes that vdi_policy_init needs for the policy of a saved agent; SIZE_MAX if the state's
 *  metadata describe none. */
VDI_API size_t vdi_policy_memsize(const vdi_state *saved);
/** A policy in the caller's block of `size` bytes, which it does not own. Statuses as of
 *  vdi_policy_create. */
VDI_API VDI_NODISCARD vdi_status vdi_policy_init(const vdi_state *saved, void *block, size_t size,
                                                 vdi_policy **out, vdi_error *err);
/** A policy from the state of an agent or of a loaded file; `a` NULL: malloc. VDI_ERR_FORMAT if
 *  something is missing or does not fit, VDI_ERR_NUMERIC if a weight is not finite. */
VDI_API VDI_NODISCARD vdi_status vdi_policy_create(const vdi_state *saved, const vdi_allocator *a,
                                                   vdi_policy **out, vdi_error *err);
/** Give back what vdi_policy_create took. NULL is ignored. */
VDI_API void vdi_policy_destroy(vdi_policy *p);
/** Numbers in an observation, and in an action. */
VDI_API int64_t vdi_policy_observations(const vdi_policy *p);
VDI_API int64_t vdi_policy_actions(const vdi_policy *p);
/** An action in [-1,1]: tanh of the mean, or a sample drawn from `rng` where it is not NULL.
 *  VDI_ERR_DATA if the observation, VDI_ERR_NUMERIC if the net's answer is not finite: the action
 *  is 0 then. No allocation. */
VDI_API vdi_status vdi_policy_act(vdi_policy *p, const float *obs, vdi_rng *rng, float *action);

#endif /* VDI_MODEL_SACD_POLICY_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_POLICY_C)
#define VDI_MODEL_SACD_POLICY_C

/* ---- an action, for agent and policy alike ------------------------------------------------- */

/* Clamped; the least one where it is not a number. */
VDI__FN double vdi__log_sd(double raw) {
    if (!(raw >= VDI__LOG_SD_MIN)) return VDI__LOG_SD_MIN;
    return raw > VDI__LOG_SD_MAX ? VDI__LOG_SD_MAX : raw;
}

/* float32 of the replay buffer or a caller into the agent's dtype */
VDI__FN void vdi__sacd_take(vdi_dtype t, size_t n, const float *from, void *to) {
    if (t == VDI_F32) {
        memcpy(to, from, n * sizeof *from);
    } else {
        for (size_t i = 0; i < n; i++)
            ((double *)to)[i] = (double)from[i];
    }
}

/* A net that acts: outputs are means and log sds. */
typedef struct vdi__actor {
    const vdi__mlp *net;
    const void *block; /* its weights */
    void *x;           /* (inputs) */
    void *const *h;    /* (width) of each layer */
} vdi__actor;

/* tanh of the mean, or of a sample drawn from rng; log_pi, if it is not NULL, is that of the sample
   (0 for the mean). */
VDI__FN vdi_status vdi__actor_draw(const vdi__actor *p, const float *obs, vdi_rng *rng,
                                   float *action, double *log_pi) {
    const vdi_dtype t = p->net->dtype;
    const size_t inputs = p->net->width[0], actions = p->net->width[p->net->layers] / 2;
    const void *out = p->h[p->net->layers - 1];
    double sum = 0;
    vdi_status status = vdi__all_finite(obs, (int64_t)inputs) ? VDI_OK : VDI_ERR_DATA;
    if (status >= 0) {
        vdi__sacd_take(t, inputs, obs, p->x);
        vdi__mlp_forward(p->net, p->block, 1, p->x, inputs, p->h);
    }
    for (size_t k = 0; k < actions && status >= 0; k++) {
        double u = vdi__load(t, out, k);
        if (rng) {
            const double log_sd = vdi__log_sd(vdi__load(t, out, actions + k));
            const double e = vdi_rng_normal(rng);
            u += exp(log_sd) * e;
            const double v = -2 * u, softplus = v > 30 ? v : log1p(exp(v));
            sum -= 0.5 * VDI_LOG_2PI + 0.5 * e * e + log_sd + 2 * (VDI__LOG_2 - u - softplus);
        }
        if (u != u) status = VDI_ERR_NUMERIC;
        action[k] = (float)tanh(u);
    }
    if (log_pi) *log_pi = sum;
    for (size_t k = 0; k < actions && status < 0; k++)
        action[k] = 0;
    return status;
}

/* ---- the policy ---------------------------------------------------------------------------- */

struct vdi_policy {
    vdi_allocator allocator;
    void *owned; /* what came from it, or NULL */
    size_t bytes;
    vdi__mlp net;
    void *block, *x, *h[VDI__MLP_LAYERS];
};

VDI__FN vdi_status vdi__policy_net(const vdi_state *saved, vdi__mlp *net, vdi_error *err) {
    vdi_sacd_desc d;
    vdi_status status = vdi_sacd_desc_from_meta(saved->meta, saved->meta_count, &d, err);
    if (status < 0) return status;
    vdi__mlp_init(net, d.dtype, d.observations, d.layers, d.hidden, 2 * d.actions);
    return VDI_OK;
}

VDI__FN size_t vdi__policy_bytes(const vdi__mlp *net) {
    const size_t size = vdi_dtype_size(net->dtype);
    size_t bytes = VDI_ALIGN + VDI__CHUNK_HEADER + vdi_align_size(sizeof(vdi_policy));
    bytes = vdi_add_size(bytes, vdi_align_size(vdi_mul_size(net->total, size)));
    for (int l = 0; l <= net->layers; l++)
        bytes = vdi_add_size(bytes, vdi_align_size(vdi_mul_size(net->width[l], size)));
    return bytes;
}

VDI__DEF size_t vdi_policy_memsize(const vdi_state *saved) {
    vdi__mlp net;
    return vdi__policy_net(saved, &net, NULL) < 0 ? SIZE_MAX : vdi__policy_bytes(&net);
}

/* The weights out of a state that somebody else may have written. */
VDI__FN vdi_status vdi__policy_fill(vdi_policy *p, const vdi_state *saved, vdi_error *err) {
    vdi_named_tensor tensor[2 * VDI__MLP_LAYERS];
    char name[2 * VDI__MLP_LAYERS][VDI_PARAM_NAME];
    vdi_state state = VDI__ZERO;
    state.tensors = tensor;
    vdi__mlp_state(&p->net, p->block, "policy", tensor, name, &state.tensor_count);
    vdi_status status = vdi__state_copy(&state, saved, false, err);
    if (status >= 0) status = vdi__state_copy(&state, saved, true, err);
    if (status < 0) return status;
    if (vdi_count_nonfinite(p->net.dtype, p->net.total, p->block) == 0) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_policy",
                         "the weights of the policy hold numbers that are not finite");
}

VDI__DEF vdi_status vdi_policy_init(const vdi_state *saved, void *block, size_t size,
                                    vdi_policy **out, vdi_error *err) {
    vdi__mlp net;
    vdi_arena arena;
    *out = NULL;
    vdi_status status = vdi__policy_net(saved, &net, err);
    if (status < 0) return status;
    vdi_arena_init_block(&arena, block, size);
    vdi_policy *p = (vdi_policy *)vdi_arena_calloc(&arena, sizeof *p);
    bool ok = p != NULL;
    if (ok) {
        p->net = net;
        p->block = vdi__mlp_array(&arena, net.dtype, net.total, 1);
        p->x = vdi__mlp_array(&arena, net.dtype, net.width[0], 1);
        ok = p->block && p->x;
    }
    for (int l = 0; ok && l < net.layers; l++) {
        p->h[l] = vdi__mlp_array(&arena, net.dtype, net.width[l + 1], 1);
        ok = p->h[l] != NULL;
    }
    if (!ok) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_policy_init",
                             "a block of %zu bytes: expected %zu", size, vdi__policy_bytes(&net));
    }
    status = vdi__policy_fill(p, saved, err);
    if (status >= 0) *out = p;
    return status;
}

VDI__DEF vdi_status vdi_policy_create(const vdi_state *saved, const vdi_allocator *a,
                                      vdi_policy **out, vdi_error *err) {
    const vdi_allocator allocator = vdi_allocator_defaults(a);
    vdi__mlp net;
    *out = NULL;
    vdi_status status = vdi__policy_net(saved, &net, err);
    if (status < 0) return status;
    const size_t bytes = vdi__policy_bytes(&net);
    void *block = bytes == SIZE_MAX ? NULL : vdi_alloc(&allocator, bytes);
    if (!block) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_policy_create",
                             "no memory for a policy of %zu bytes", bytes);
    }
    status = vdi_policy_init(saved, block, bytes, out, err);
    if (status < 0) {
        vdi_free(&allocator, block, bytes);
        return status;
    }
    (*out)->allocator = allocator;
    (*out)->owned = block;
    (*out)->bytes = bytes;
    return VDI_OK;
}

VDI__DEF void vdi_policy_destroy(vdi_policy *p) {
    if (!p || !p->owned) return;
    const vdi_allocator a = p->allocator;
    vdi_free(&a, p->owned, p->bytes);
}

VDI__DEF int64_t vdi_policy_observations(const vdi_policy *p) { return (int64_t)p->net.width[0]; }
VDI__DEF int64_t vdi_policy_actions(const vdi_policy *p) {
    return (int64_t)p->net.width[p->net.layers] / 2;
}

VDI__DEF vdi_status vdi_policy_act(vdi_policy *p, const float *obs, vdi_rng *rng, float *action) {
    vdi__actor actor;
    actor.net = &p->net;
    actor.block = p->block;
    actor.x = p->x;
    actor.h = p->h;
    return vdi__actor_draw(&actor, obs, rng, action, NULL);
}
#endif
