/* model/sacd/policy.h - the policy alone, copied out of an agent: acts in another thread or program
 *
 * Do this:
 *     vdi_policy *policy;
 *     const vdi_state *state = vdi_sacd_state(agent, false);       or the state of a loaded file
 *     if (vdi_policy_create(state, NULL, &policy, &err) < 0) puts(err.message);
 *     if (vdi_policy_act(policy, obs, NULL, action) < 0) puts("an observation is not finite");
 *     vdi_policy_destroy(policy);
 *
 * It holds a copy of the weights and the memory of one action, and nothing that is needed for
 * learning: no critics, no transitions. vdi_policy_init makes one in the caller's block, for
 * programs without an allocator. The actions are the same bits as the agent's.
 * Memory: taken at create, about four bytes a weight. Errors: statuses; an observation that is not
 * finite gives the action 0. Threads: one policy per thread; vdi_policy_create reads the agent, so
 * it must not run during an update. What it does NOT do: follow the agent as it continues to learn.
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
/** An action in [-1,1]: tanh of the mean, or a sample drawn from `rng` where it is not NULL; of an
 *  agent with choices the likeliest one, or a sample, as 1 among zeros (vdi_env_choice).
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

/* ---- observations as the nets see them ----------------------------------------------------- */

/* How far from the mean an observation may be, in deviations; and the least deviation. */
#define VDI__NORM_MOST 10.0
#define VDI__NORM_LEAST 1e-6

VDI__FN void vdi__norm_begin(vdi__norm *s, int64_t n, double *data) {
    s->n = (size_t)n;
    s->data = data;
    for (size_t i = 0; i < s->n; i++)
        data[2 * s->n + i] = 1; /* as they are, before anything is known */
}

VDI__FN void vdi__norm_add(vdi__norm *s, const float *obs) {
    if (!s->data) return;
    double *mean = s->data, *squares = mean + s->n, *scale = squares + s->n, *count = scale + s->n;
    *count += 1;
    for (size_t i = 0; i < s->n; i++) {
        const double x = (double)obs[i], off = x - mean[i];
        mean[i] += off / *count;
        squares[i] += off * (x - mean[i]);
        const double sd = sqrt(squares[i] / *count);
        if (*count >= 2) scale[i] = 1 / VDI__MAX(sd, VDI__NORM_LEAST);
    }
}

VDI__FN double vdi__norm_of(const vdi__norm *s, size_t i, double x) {
    const double z = (x - s->data[i]) * s->data[2 * s->n + i];
    return z > VDI__NORM_MOST ? VDI__NORM_MOST : z < -VDI__NORM_MOST ? -VDI__NORM_MOST : z;
}

/* An observation, float32 or of dtype t, into the agent's dtype t. */
VDI__FN void vdi__sacd_see(const vdi__norm *s, vdi_dtype t, size_t n, const float *obs, void *to) {
    if (!s->data) {
        vdi__sacd_take(t, n, obs, to);
        return;
    }
    for (size_t i = 0; i < n; i++)
        vdi__store(t, to, i, vdi__norm_of(s, i, (double)obs[i]));
}

/* Are saved moments valid? */
VDI__FN bool vdi__norm_valid(const vdi__norm *s) {
    bool ok = true;
    for (size_t i = 0; s->data && i < s->n; i++) {
        const double mean = s->data[i], squares = s->data[s->n + i], scale = s->data[2 * s->n + i];
        ok = ok && mean - mean == 0 && squares >= 0 && squares - squares == 0 && scale > 0 &&
             scale <= 1 / VDI__NORM_LEAST;
    }
    return ok && (!s->data || s->data[3 * s->n] >= 0);
}

/* ---- a net that acts ------------------------------------------------------------------------ */

typedef struct vdi__actor {
    const vdi__mlp *net;
    const struct vdi__actor_kind *kind;
    const vdi__norm *norm;
    const void *block; /* its weights */
    void *x;           /* (inputs) */
    void *const *h;    /* (width) of each layer */
    size_t actions;
} vdi__actor;

/* What an action is: a row of vdi__actor_kinds. */
typedef struct vdi__actor_kind {
    size_t outputs; /* of the net, for each action */
    /* From the net's output: the mean or likeliest action, or one drawn from rng; *log_pi of the
       drawn one, else 0. VDI_ERR_NUMERIC if the output is not a number. */
    vdi_status (*draw)(const vdi__actor *p, vdi_rng *rng, float *action, double *log_pi);
    void (*uniform)(vdi_rng *rng, size_t actions, float *action);
    bool (*valid)(size_t actions, const float *action);
} vdi__actor_kind;

/* tanh of the mean, or of a sample. */
VDI__FN vdi_status vdi__gauss_draw(const vdi__actor *p, vdi_rng *rng, float *action,
                                   double *log_pi) {
    const vdi_dtype t = p->net->dtype;
    const void *out = p->h[p->net->layers - 1];
    vdi_status status = VDI_OK;
    double sum = 0;
    for (size_t k = 0; k < p->actions && status >= 0; k++) {
        double u = vdi__load(t, out, k);
        if (rng) {
            const double log_sd = vdi__log_sd(vdi__load(t, out, p->actions + k));
            const double e = vdi_rng_normal(rng);
            u += exp(log_sd) * e;
            const double v = -2 * u, softplus = v > 30 ? v : log1p(exp(v));
            sum -= 0.5 * VDI_LOG_2PI + 0.5 * e * e + log_sd + 2 * (VDI__LOG_2 - u - softplus);
        }
        if (u != u) status = VDI_ERR_NUMERIC;
        action[k] = (float)tanh(u);
    }
    *log_pi = sum;
    return status;
}

VDI__FN void vdi__gauss_uniform(vdi_rng *rng, size_t actions, float *action) {
    for (size_t k = 0; k < actions; k++)
        action[k] = (float)(2 * vdi_rng_uniform(rng) - 1);
}

VDI__FN bool vdi__gauss_valid(size_t actions, const float *action) {
    bool ok = true;
    for (size_t k = 0; k < actions; k++) /* a NaN is the buffer's matter */
        ok = ok && !(action[k] < -1) && !(action[k] > 1);
    return ok;
}

/* log pi (n) of logits out[at ...]: out - log sum exp. */
VDI__FN double vdi__choice_norm(vdi_dtype t, const void *out, size_t at, size_t n) {
    double most = vdi__load(t, out, at), sum = 0;
    for (size_t k = 1; k < n; k++)
        most = VDI__MAX(most, vdi__load(t, out, at + k));
    for (size_t k = 0; k < n; k++)
        sum += exp(vdi__load(t, out, at + k) - most);
    return most + log(sum);
}

/* The likeliest choice, or a sample. */
VDI__FN vdi_status vdi__choice_draw(const vdi__actor *p, vdi_rng *rng, float *action,
                                    double *log_pi) {
    const vdi_dtype t = p->net->dtype;
    const void *out = p->h[p->net->layers - 1];
    const double norm = vdi__choice_norm(t, out, 0, p->actions);
    size_t which = 0;
    if (norm - norm != 0) return VDI_ERR_NUMERIC;
    if (rng) {
        double left = vdi_rng_uniform(rng);
        for (which = 0; which + 1 < p->actions; which++) {
            left -= exp(vdi__load(t, out, which) - norm);
            if (left < 0) break;
        }
    } else {
        for (size_t k = 1; k < p->actions; k++) {
            if (vdi__load(t, out, k) > vdi__load(t, out, which)) which = k;
        }
    }
    vdi_env_choose((int64_t)p->actions, (int64_t)which, action);
    *log_pi = rng ? vdi__load(t, out, which) - norm : 0;
    return VDI_OK;
}

VDI__FN void vdi__choice_uniform(vdi_rng *rng, size_t actions, float *action) {
    vdi_env_choose((int64_t)actions, (int64_t)vdi_rng_below(rng, actions), action);
}

VDI__FN bool vdi__choice_valid(size_t actions, const float *action) {
    size_t ones = 0, zeros = 0;
    for (size_t k = 0; k < actions; k++) {
        ones += action[k] == 1;
        zeros += action[k] == 0;
    }
    return ones == 1 && zeros == actions - 1;
}

static const vdi__actor_kind vdi__actor_kinds[] = {
    {2, vdi__gauss_draw, vdi__gauss_uniform, vdi__gauss_valid},
    {1, vdi__choice_draw, vdi__choice_uniform, vdi__choice_valid},
};
VDI__FN const vdi__actor_kind *vdi__actor_kind_of(bool discrete) {
    return &vdi__actor_kinds[discrete];
}
VDI__FN size_t vdi__actor_outputs(const vdi_sacd_desc *d) {
    return vdi__actor_kind_of(d->discrete)->outputs * (size_t)d->actions;
}

/* An action for an observation; log_pi, if it is not NULL, is that of a sample (0 without rng). */
VDI__FN vdi_status vdi__actor_draw(const vdi__actor *p, const float *obs, vdi_rng *rng,
                                   float *action, double *log_pi) {
    const size_t inputs = p->net->width[0];
    double log_p = 0;
    vdi_status status = vdi__all_finite(obs, (int64_t)inputs) ? VDI_OK : VDI_ERR_DATA;
    if (status >= 0) {
        vdi__sacd_see(p->norm, p->net->dtype, inputs, obs, p->x);
        vdi__mlp_forward(p->net, p->block, 1, p->x, inputs, p->h);
        status = p->kind->draw(p, rng, action, &log_p);
    }
    if (log_pi) *log_pi = log_p;
    for (size_t k = 0; k < p->actions && status < 0; k++)
        action[k] = 0;
    return status;
}

/* ---- the policy ---------------------------------------------------------------------------- */

struct vdi_policy {
    vdi_allocator allocator;
    void *owned; /* what came from it, or NULL */
    size_t bytes;
    vdi__mlp net;
    vdi__norm norm;
    const vdi__actor_kind *kind;
    size_t actions;
    void *block, *x, *h[VDI__MLP_LAYERS];
};

VDI__FN vdi_status vdi__policy_net(const vdi_state *saved, vdi_sacd_desc *d, vdi__mlp *net,
                                   vdi_error *err) {
    vdi_status status = vdi_sacd_desc_from_meta(saved->meta, saved->meta_count, d, err);
    if (status == VDI_OK) status = vdi_arithmetic_check(err);
    if (status < 0) return status;
    vdi__mlp_init(net, d->dtype, d->observations, d->layers, d->hidden,
                  (int64_t)vdi__actor_outputs(d));
    return VDI_OK;
}

VDI__FN size_t vdi__policy_numbers(const vdi_sacd_desc *d) {
    return d->normalise ? VDI__NORM_ARRAYS * (size_t)d->observations + 1 : 0;
}

VDI__FN size_t vdi__policy_bytes(const vdi_sacd_desc *d, const vdi__mlp *net) {
    const size_t size = vdi_dtype_size(net->dtype);
    size_t bytes = VDI_ALIGN + VDI__CHUNK_HEADER + vdi_align_size(sizeof(vdi_policy));
    bytes = vdi_add_size(bytes, vdi_align_size(vdi_mul_size(net->total, size)));
    for (int l = 0; l <= net->layers; l++)
        bytes = vdi_add_size(bytes, vdi_align_size(vdi_mul_size(net->width[l], size)));
    return vdi_add_size(bytes, vdi_align_size(vdi__policy_numbers(d) * sizeof(double)));
}

VDI__DEF size_t vdi_policy_memsize(const vdi_state *saved) {
    vdi_sacd_desc d;
    vdi__mlp net;
    return vdi__policy_net(saved, &d, &net, NULL) < 0 ? SIZE_MAX : vdi__policy_bytes(&d, &net);
}

/* The weights out of a state that somebody else may have written. */
VDI__FN vdi_status vdi__policy_fill(vdi_policy *p, const vdi_state *saved, vdi_error *err) {
    vdi_named_tensor tensor[2 * VDI__MLP_LAYERS + 1];
    char name[2 * VDI__MLP_LAYERS][VDI_PARAM_NAME];
    vdi_state state = VDI__ZERO;
    state.tensors = tensor;
    vdi__mlp_state(&p->net, p->block, "policy", tensor, name, &state.tensor_count);
    if (p->norm.data) {
        vdi_named_tensor *seen = &tensor[state.tensor_count++];
        seen->name = "observations";
        seen->tensor =
            vdi_tensor_1d(p->norm.data, VDI_F64, VDI__NORM_ARRAYS * (int64_t)p->norm.n + 1);
    }
    vdi_status status = vdi__state_copy(&state, saved, false, err);
    if (status >= 0) status = vdi__state_copy(&state, saved, true, err);
    if (status < 0) return status;
    const bool finite = vdi_count_nonfinite(p->net.dtype, p->net.total, p->block) == 0;
    if (finite && vdi__norm_valid(&p->norm)) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_policy",
                         "the weights of the policy hold numbers that are not finite");
}

/* Everything of a policy out of an arena; NULL where it is too small. */
VDI__FN vdi_policy *vdi__policy_place(vdi_arena *arena, const vdi_sacd_desc *d,
                                      const vdi__mlp *net) {
    vdi_policy *p = (vdi_policy *)vdi_arena_calloc(arena, sizeof *p);
    if (!p) return NULL;
    p->net = *net;
    p->kind = vdi__actor_kind_of(d->discrete);
    p->actions = (size_t)d->actions;
    p->block = vdi__mlp_array(arena, net->dtype, net->total, 1);
    p->x = vdi__mlp_array(arena, net->dtype, net->width[0], 1);
    bool ok = p->block && p->x;
    for (int l = 0; ok && l < net->layers; l++) {
        p->h[l] = vdi__mlp_array(arena, net->dtype, net->width[l + 1], 1);
        ok = p->h[l] != NULL;
    }
    if (ok && d->normalise) {
        double *data = (double *)vdi_arena_calloc(arena, vdi__policy_numbers(d) * sizeof *data);
        if (data) vdi__norm_begin(&p->norm, d->observations, data);
        ok = data != NULL;
    }
    return ok ? p : NULL;
}

VDI__DEF vdi_status vdi_policy_init(const vdi_state *saved, void *block, size_t size,
                                    vdi_policy **out, vdi_error *err) {
    vdi_sacd_desc d;
    vdi__mlp net;
    vdi_arena arena;
    *out = NULL;
    vdi_status status = vdi__policy_net(saved, &d, &net, err);
    if (status < 0) return status;
    vdi_arena_init_block(&arena, block, size);
    vdi_policy *p = vdi__policy_place(&arena, &d, &net);
    if (!p) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_policy_init",
                             "a block of %zu bytes: expected %zu", size,
                             vdi__policy_bytes(&d, &net));
    }
    status = vdi__policy_fill(p, saved, err);
    if (status >= 0) *out = p;
    return status;
}

VDI__DEF vdi_status vdi_policy_create(const vdi_state *saved, const vdi_allocator *a,
                                      vdi_policy **out, vdi_error *err) {
    const vdi_allocator allocator = vdi_allocator_defaults(a);
    vdi_sacd_desc d;
    vdi__mlp net;
    *out = NULL;
    vdi_status status = vdi__policy_net(saved, &d, &net, err);
    if (status < 0) return status;
    const size_t bytes = vdi__policy_bytes(&d, &net);
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
VDI__DEF int64_t vdi_policy_actions(const vdi_policy *p) { return (int64_t)p->actions; }

VDI__DEF vdi_status vdi_policy_act(vdi_policy *p, const float *obs, vdi_rng *rng, float *action) {
    vdi__actor actor;
    actor.net = &p->net;
    actor.kind = p->kind;
    actor.norm = &p->norm;
    actor.actions = p->actions;
    actor.block = p->block;
    actor.x = p->x;
    actor.h = p->h;
    return vdi__actor_draw(&actor, obs, rng, action, NULL);
}
#endif
