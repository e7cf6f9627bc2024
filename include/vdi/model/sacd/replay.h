/* model/sacd/replay.h - a ring buffer of transitions, sampled uniformly
 *
 * Do this:
 *     vdi_replay_desc desc = VDI__ZERO;
 *     desc.capacity = 100000;
 *     desc.observations = 3;
 *     desc.actions = 1;
 *     desc.components = 3;
 *     printf("%zu bytes\n", vdi_replay_memsize(&desc));
 *     vdi_replay *replay;
 *     if (vdi_replay_create(&desc, &replay, &err) < 0) puts(err.message);
 *     vdi_replay_add(replay, obs, action, reward, next, end, &err);
 *     uint64_t count = (uint64_t)vdi_replay_count(replay);
 *     vdi_transition t = vdi_replay_get(replay, (int64_t)vdi_rng_below(&rng, count));
 *     vdi_replay_destroy(replay);
 *
 * A transition is one record of float32 in the order observation, action, reward vector, next
 * observation, end: a sample reads one contiguous piece of memory. The reward is kept as a vector,
 * so that past transitions stay valid when the weights change.
 * Memory: one block, taken at create. Errors: numbers that are not finite and unknown end flags are
 * rejected. Threads: one writer, or any number of readers.
 * What it does NOT do: priorities, n-step returns.
 */
#ifndef VDI_MODEL_SACD_REPLAY_H
#define VDI_MODEL_SACD_REPLAY_H
#include "../../core/alloc.h"
#include "../../core/field.h"
#include "../../core/rng.h"
#include "../../core/status.h"
#include "../../core/tensor.h"
#include "../env/env.h"

/** What a replay buffer holds. Zero is the default of the capacity, and of nothing else. */
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
/** The fields of a description: defaults, ranges and help. */
VDI_API const vdi_fields *vdi_replay_desc_fields(void);
/** The filled description (sizes left at 0). */
VDI_API vdi_replay_desc vdi_replay_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_replay_desc_check(const vdi_replay_desc *desc, vdi_error *err);
/** Bytes that the transitions will take; SIZE_MAX where there is no number for that. */
VDI_API size_t vdi_replay_memsize(const vdi_replay_desc *desc);
/** Make an empty one. */
VDI_API VDI_NODISCARD vdi_status vdi_replay_create(const vdi_replay_desc *desc, vdi_replay **out,
                                                   vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_replay_destroy(vdi_replay *r);
/** Append a transition. VDI_ERR_DATA if a number is not finite, VDI_ERR_ARGUMENT if `end` is no sum
 *  of VDI_ENV_ flags: nothing is added then. */
VDI_API vdi_status vdi_replay_add(vdi_replay *r, const float *obs, const float *action,
                                  const float *reward, const float *next, int end, vdi_error *err);
/** Transitions that can be had now. */
VDI_API int64_t vdi_replay_count(const vdi_replay *r);
/** Transitions added since the beginning. */
VDI_API int64_t vdi_replay_added(const vdi_replay *r);
/** Transition `index` of 0..count-1, in the order of the ring. */
VDI_API vdi_transition vdi_replay_get(const vdi_replay *r, int64_t index);
/** The transition that was added `back` ones ago, 0 the last; back < count. */
VDI_API vdi_transition vdi_replay_recent(const vdi_replay *r, int64_t back);
/** The records that count, "replay" (count, 2 observations + actions + components + 1), in the
 *  buffer's own memory. */
VDI_API vdi_tensor vdi_replay_tensor(vdi_replay *r);
/** Reserve records for a load: as if `added` transitions had been added. The caller then fills
 *  vdi_replay_tensor. */
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

static const vdi_field vdi__replay_table[] = {
    VDI_FIELD_INT(vdi_replay_desc, capacity, 1000000, 1, 9007199254740992.0, "transitions kept"),
    VDI_FIELD_INT_FLAGS(vdi_replay_desc, observations, 0, 1, VDI_ENV_MAX_OBSERVATIONS,
                        VDI_FIELD_REQUIRED, "numbers in an observation"),
    VDI_FIELD_INT_FLAGS(vdi_replay_desc, actions, 0, 1, VDI_ENV_MAX_ACTIONS, VDI_FIELD_REQUIRED,
                        "numbers in an action"),
    VDI_FIELD_INT_FLAGS(vdi_replay_desc, components, 0, 1, VDI_ENV_MAX_COMPONENTS,
                        VDI_FIELD_REQUIRED, "numbers in a reward"),
};
static const vdi_fields vdi__replay_fields = {"vdi_replay_desc", vdi__replay_table,
                                              (int)VDI__COUNT(vdi__replay_table)};

VDI__DEF const vdi_fields *vdi_replay_desc_fields(void) { return &vdi__replay_fields; }

VDI__FN vdi_replay_desc vdi__replay_filled(const vdi_replay_desc *desc) {
    vdi_replay_desc d = *desc;
    vdi_fields_fill(&vdi__replay_fields, &d);
    return d;
}

VDI__DEF vdi_replay_desc vdi_replay_desc_defaults(void) {
    const vdi_replay_desc zero = VDI__ZERO;
    return vdi__replay_filled(&zero);
}

VDI__DEF vdi_status vdi_replay_desc_check(const vdi_replay_desc *desc, vdi_error *err) {
    const vdi_replay_desc d = vdi__replay_filled(desc);
    return vdi_fields_check(&vdi__replay_fields, &d, err);
}

/* Floats of one transition: observation, action, reward, next observation, end. */
VDI__FN int64_t vdi__replay_record(const vdi_replay_desc *d) {
    return 2 * d->observations + d->actions + d->components + 1;
}

VDI__DEF size_t vdi_replay_memsize(const vdi_replay_desc *desc) {
    const vdi_replay_desc d = vdi__replay_filled(desc);
    if (vdi_replay_desc_check(&d, NULL) < 0 || (uint64_t)d.capacity > SIZE_MAX) return SIZE_MAX;
    const size_t record = (size_t)vdi__replay_record(&d) * sizeof(float);
    return vdi_mul_size(record, (size_t)d.capacity);
}

VDI__DEF vdi_status vdi_replay_create(const vdi_replay_desc *desc, vdi_replay **out,
                                      vdi_error *err) {
    const vdi_allocator a = vdi_allocator_defaults(desc->allocator);
    *out = NULL;
    vdi_status status = vdi_replay_desc_check(desc, err);
    if (status < 0) return status;
    const size_t bytes = vdi_replay_memsize(desc);
    vdi_replay *r = (vdi_replay *)vdi_alloc(&a, sizeof *r);
    float *data = r && bytes != SIZE_MAX ? (float *)vdi_alloc(&a, bytes) : NULL;
    if (!data) {
        vdi_free(&a, r, sizeof *r);
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_replay_create",
                             "no memory for %lld transitions of %lld numbers, %zu bytes",
                             (long long)vdi__replay_filled(desc).capacity,
                             (long long)vdi__replay_record(desc), bytes);
    }
    r->desc = vdi__replay_filled(desc);
    r->desc.allocator = NULL;
    r->allocator = a;
    r->data = data;
    r->record = vdi__replay_record(desc);
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

/* What of a transition is not finite, or NULL. */
VDI__FN const char *vdi__replay_wrong(const vdi_replay_desc *d, const float *obs,
                                      const float *action, const float *reward, const float *next) {
    if (!vdi__all_finite(obs, d->observations)) return "the observation";
    if (!vdi__all_finite(action, d->actions)) return "the action";
    if (!vdi__all_finite(reward, d->components)) return "the reward";
    if (!vdi__all_finite(next, d->observations)) return "the next observation";
    return NULL;
}

VDI__FN bool vdi__replay_end_ok(int end) {
    return (end & ~(VDI_ENV_TERMINATED | VDI_ENV_TRUNCATED)) == 0;
}

VDI__DEF vdi_status vdi_replay_add(vdi_replay *r, const float *obs, const float *action,
                                   const float *reward, const float *next, int end,
                                   vdi_error *err) {
    static const char where[] = "vdi_replay_add";
    const size_t o = (size_t)r->desc.observations, a = (size_t)r->desc.actions;
    const size_t m = (size_t)r->desc.components;
    const char *wrong = vdi__replay_wrong(&r->desc, obs, action, reward, next);
    if (wrong) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "%s of transition %lld holds a number that is not finite", wrong,
                             (long long)r->added);
    }
    if (!vdi__replay_end_ok(end)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "the end of transition %lld is %d: expected 0, VDI_ENV_TERMINATED, "
                             "VDI_ENV_TRUNCATED or both",
                             (long long)r->added, end);
    }
    float *to = r->data + r->added % r->desc.capacity * r->record;
    memcpy(to, obs, o * sizeof *to);
    memcpy(to + o, action, a * sizeof *to);
    memcpy(to + o + a, reward, m * sizeof *to);
    memcpy(to + o + a + m, next, o * sizeof *to);
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

VDI__DEF vdi_transition vdi_replay_recent(const vdi_replay *r, int64_t back) {
    return vdi_replay_get(r, (r->added - 1 - back) % r->desc.capacity);
}

VDI__DEF vdi_tensor vdi_replay_tensor(vdi_replay *r) {
    return vdi_tensor_2d(r->data, VDI_F32, vdi_replay_count(r), r->record);
}

VDI__DEF void vdi_replay_set_added(vdi_replay *r, int64_t added) {
    const int64_t before = vdi_replay_count(r);
    r->added = added;
    const int64_t now = vdi_replay_count(r);
    if (now <= before) return;
    memset(r->data + before * r->record, 0, (size_t)((now - before) * r->record) * sizeof *r->data);
}
#endif
