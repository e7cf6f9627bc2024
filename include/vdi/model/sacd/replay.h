/* model/sacd/replay.h - a ring of transitions, sampled evenly
 *
 * Do this:
 *     vdi_replay_desc desc = VDI__ZERO;
 *     desc.capacity = 100000;
 *     desc.observations = 3;
 *     desc.actions = 1;
 *     desc.components = 3;
 *     vdi_replay *replay;
 *     if (vdi_replay_create(&desc, &replay, &err) < 0) puts(err.message);
 *     vdi_replay_add(replay, obs, action, reward, next, end, &err);
 *     vdi_transition t = vdi_replay_get(replay, (int64_t)vdi_rng_below(&rng,
 *         (uint64_t)vdi_replay_count(replay)));
 *     vdi_replay_destroy(replay);
 *
 * A transition is one record of float32 in the order observation, action, reward vector, next
 * observation, end: a sample touches one stretch of memory. The reward stays a vector, so that
 * weights may change without the past being lost.
 * Memory: one block, taken at create. Errors: numbers that are not finite are refused. Threads: one
 * writer, or any number of readers.
 * What it does NOT do: priorities, n-step returns.
 */
#ifndef VDI_MODEL_SACD_REPLAY_H
#define VDI_MODEL_SACD_REPLAY_H
#include "../../core/alloc.h"
#include "../../core/rng.h"
#include "../../core/status.h"
#include "../../core/tensor.h"

/** What a replay buffer holds. */
typedef struct vdi_replay_desc {
    int64_t capacity;               /**< transitions kept; the oldest go first */
    int64_t observations;           /**< numbers in an observation */
    int64_t actions;                /**< numbers in an action */
    int64_t components;             /**< numbers in a reward */
    const vdi_allocator *allocator; /**< NULL: malloc */
} vdi_replay_desc;

/** One transition, in the memory of the buffer. */
typedef struct vdi_transition {
    const float *obs;    /**< (observations) */
    const float *action; /**< (actions), right behind obs: (obs, action) is one row */
    const float *reward; /**< (components) */
    const float *next;   /**< (observations) the observation after it */
    int end;             /**< 0, or VDI_ENV_TERMINATED | VDI_ENV_TRUNCATED of model/env/env.h */
} vdi_transition;

/** A replay buffer, made by vdi_replay_create. */
typedef struct vdi_replay vdi_replay;
/** Make an empty one. VDI_ERR_ARGUMENT for a size that is not positive, VDI_ERR_MEMORY. */
VDI_API VDI_NODISCARD vdi_status vdi_replay_create(const vdi_replay_desc *desc, vdi_replay **out,
                                                   vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_replay_destroy(vdi_replay *r);
/** Append a transition. VDI_ERR_DATA if a number is not finite: nothing is added then. */
VDI_API vdi_status vdi_replay_add(vdi_replay *r, const float *obs, const float *action,
                                  const float *reward, const float *next, int end, vdi_error *err);
/** Transitions that can be had now. */
VDI_API int64_t vdi_replay_count(const vdi_replay *r);
/** Transitions added since the beginning. */
VDI_API int64_t vdi_replay_added(const vdi_replay *r);
/** Transition `index` of 0..count-1, in the order of the ring. */
VDI_API vdi_transition vdi_replay_get(const vdi_replay *r, int64_t index);
/** The records that count, "replay" (count, 2 observations + actions + components + 1), in the
 * buffer's own memory. */
VDI_API vdi_tensor vdi_replay_tensor(vdi_replay *r);
/** Make room for a load: as if `added` transitions had been added. The caller then fills
 * vdi_replay_tensor. */
VDI_API void vdi_replay_set_added(vdi_replay *r, int64_t added);

#endif /* VDI_MODEL_SACD_REPLAY_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_REPLAY_C)
#define VDI_MODEL_SACD_REPLAY_C

struct vdi_replay {
    vdi_replay_desc desc;
    vdi_allocator allocator;
    float *data;
    int64_t record; /* floats of one transition */
    int64_t added;
    size_t bytes;
};

VDI__DEF vdi_status vdi_replay_create(const vdi_replay_desc *desc, vdi_replay **out,
                                      vdi_error *err) {
    static const char where[] = "vdi_replay_create";
    *out = NULL;
    const int64_t most = (int64_t)1 << 20;
    if (desc->capacity < 1 || desc->observations < 1 || desc->actions < 1 || desc->components < 1 ||
        desc->observations > most || desc->actions > most || desc->components > most) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "capacity %lld, observations %lld, actions %lld, components %lld: "
                             "expected 1 or more of each",
                             (long long)desc->capacity, (long long)desc->observations,
                             (long long)desc->actions, (long long)desc->components);
    }
    vdi_replay *r = (vdi_replay *)vdi_alloc(desc->allocator, sizeof *r);
    int64_t record = 2 * desc->observations + desc->actions + desc->components + 1;
    size_t bytes =
        vdi_mul_size(vdi_mul_size((size_t)record, sizeof(float)), (size_t)desc->capacity);
    float *data = r && bytes != SIZE_MAX ? (float *)vdi_alloc(desc->allocator, bytes) : NULL;
    if (!data) {
        vdi_free(desc->allocator, r, sizeof *r);
        return vdi_error_set(err, VDI_ERR_MEMORY, where,
                             "no memory for %lld transitions of %lld numbers",
                             (long long)desc->capacity, (long long)record);
    }
    r->desc = *desc;
    r->allocator = vdi_allocator_defaults(desc->allocator);
    r->desc.allocator = NULL;
    r->data = data;
    r->record = record;
    r->added = 0;
    r->bytes = bytes;
    *out = r;
    return VDI_OK;
}

VDI__DEF void vdi_replay_destroy(vdi_replay *r) {
    if (!r) return;
    vdi_allocator a = r->allocator;
    vdi_free(&a, r->data, r->bytes);
    vdi_free(&a, r, sizeof *r);
}

VDI__FN bool vdi__all_finite(const float *x, int64_t n) {
    float zero = 0;
    for (int64_t i = 0; i < n; i++)
        zero += x[i] * 0; /* NaN where x[i] is not finite */
    return zero == 0;
}

VDI__DEF vdi_status vdi_replay_add(vdi_replay *r, const float *obs, const float *action,
                                   const float *reward, const float *next, int end,
                                   vdi_error *err) {
    const int64_t o = r->desc.observations, a = r->desc.actions, m = r->desc.components;
    const char *what = !vdi__all_finite(obs, o)      ? "the observation"
                       : !vdi__all_finite(action, a) ? "the action"
                       : !vdi__all_finite(reward, m) ? "the reward"
                       : !vdi__all_finite(next, o)   ? "the next observation"
                                                     : NULL;
    if (what) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_replay_add",
                             "%s of transition %lld holds a number that is not finite", what,
                             (long long)r->added);
    }
    float *to = r->data + r->added % r->desc.capacity * r->record;
    memcpy(to, obs, (size_t)o * sizeof *to);
    memcpy(to + o, action, (size_t)a * sizeof *to);
    memcpy(to + o + a, reward, (size_t)m * sizeof *to);
    memcpy(to + o + a + m, next, (size_t)o * sizeof *to);
    to[2 * o + a + m] = (float)end;
    r->added++;
    return VDI_OK;
}

VDI__DEF int64_t vdi_replay_count(const vdi_replay *r) {
    return VDI__MIN(r->added, r->desc.capacity);
}
VDI__DEF int64_t vdi_replay_added(const vdi_replay *r) { return r->added; }

VDI__DEF vdi_transition vdi_replay_get(const vdi_replay *r, int64_t index) {
    vdi_transition t;
    t.obs = r->data + index * r->record;
    t.action = t.obs + r->desc.observations;
    t.reward = t.action + r->desc.actions;
    t.next = t.reward + r->desc.components;
    t.end = (int)t.next[r->desc.observations];
    return t;
}

VDI__DEF vdi_tensor vdi_replay_tensor(vdi_replay *r) {
    return vdi_tensor_2d(r->data, VDI_F32, vdi_replay_count(r), r->record);
}

VDI__DEF void vdi_replay_set_added(vdi_replay *r, int64_t added) {
    int64_t before = vdi_replay_count(r);
    r->added = added;
    int64_t now = vdi_replay_count(r);
    if (now > before) {
        memset(r->data + before * r->record, 0,
               (size_t)((now - before) * r->record) * sizeof *r->data);
    }
}
#endif
