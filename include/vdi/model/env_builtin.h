/* model/env_builtin.h - the environments that need nothing: pendulum, lander, navigate
 *
 * Do this:
 *     vdi_env env;
 *     if (vdi_env_open("pendulum", NULL, &env, &err) < 0) puts(err.message);       or vdi_env_pendulum(&env)
 *     vdi_env_close(&env);
 *
 *     int64_t count;
 *     const vdi_env_entry *list = vdi_env_list(&count);
 *     for (int64_t i = 0; i < count; i++) printf("%s: %s\n", list[i].env.name, list[i].summary);
 *
 * pendulum is Gymnasium 1.4.0's Pendulum-v1, state and rewards in double, observations in float. lander has the observations, actions
 * and nine components of LunarLander (continuous), but a body, legs and a rule of touchdown of its own: one rigid body over flat ground,
 * so results on it are not results on LunarLander. navigate is a point robot. docs/env.md has the equations, the units, and which
 * observation is which for those who want to draw a scene.
 * Memory: one block each, from the allocator. Errors: statuses. Threads: one environment, one thread. What they do NOT do: rendering.
 */
#ifndef VDI_MODEL_ENV_BUILTIN_H
#define VDI_MODEL_ENV_BUILTIN_H
#include "../core/alloc.h"
#include "env.h"

/** What the list of environments holds. */
typedef struct vdi_env_entry {
    vdi_env env;         /**< name, sizes and names; `self` is NULL: open it by its name */
    const char *summary; /**< one sentence */
} vdi_env_entry;

/** The built-in environments; *count (may be NULL) receives how many. */
VDI_API const vdi_env_entry *vdi_env_list(int64_t *count);
/** Open one by name; `a` NULL: malloc. VDI_ERR_ARGUMENT with the names there are, or VDI_ERR_MEMORY; `env` is zero then. */
VDI_API VDI_NODISCARD vdi_status vdi_env_open(const char *name, const vdi_allocator *a, vdi_env *env, vdi_error *err);
/** vdi_env_open("pendulum", NULL, env, NULL): 3 observations, 1 action, 3 components, 200 steps. */
VDI_API vdi_status vdi_env_pendulum(vdi_env *env);
/** vdi_env_open("lander", NULL, env, NULL): 8 observations, 2 actions, 9 components, 1000 steps. */
VDI_API vdi_status vdi_env_lander(vdi_env *env);
/** vdi_env_open("navigate", NULL, env, NULL): 16 observations, 2 actions, 4 components, 200 steps. */
VDI_API vdi_status vdi_env_navigate(vdi_env *env);
/** Begin an episode of an open pendulum at an angle (rad, 0 is up) and speed (rad/s) of your choice; obs (3). */
VDI_API void vdi_env_pendulum_place(vdi_env *env, double angle, double speed, float *obs);

#endif /* VDI_MODEL_ENV_BUILTIN_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_BUILTIN_C)
#define VDI_MODEL_ENV_BUILTIN_C

/* What every built-in environment begins with. */
typedef struct vdi__env_head {
    vdi_allocator allocator;
    size_t size; /* of the whole block */
    vdi_rng rng;
    int64_t steps; /* of this episode so far */
} vdi__env_head;

VDI__FN void vdi__env_free(void *self) {
    vdi__env_head *head = (vdi__env_head *)self;
    if (!head) return;
    vdi_allocator a = head->allocator;
    vdi_free(&a, head, head->size);
}

VDI__INLINE double vdi__env_uniform(vdi_rng *rng, double low, double high) { return low + (high - low) * vdi_rng_uniform(rng); }
VDI__INLINE double vdi__env_clip(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

/* ---- pendulum: Gymnasium 1.4.0, Pendulum-v1 ------------------------------------------------------------------------------- */

typedef struct vdi__pendulum {
    vdi__env_head head;
    double angle, speed; /* rad from upright, not wrapped; rad/s */
} vdi__pendulum;

VDI__FN void vdi__pendulum_look(const vdi__pendulum *p, float *obs) {
    obs[0] = (float)cos(p->angle);
    obs[1] = (float)sin(p->angle);
    obs[2] = (float)p->speed;
}

VDI__FN vdi_status vdi__pendulum_reset(void *self, uint64_t seed, uint64_t episode, float *obs, vdi_error *err) {
    vdi__pendulum *p = (vdi__pendulum *)self;
    (void)err;
    p->head.rng = vdi_env_rng(seed, episode);
    p->head.steps = 0;
    p->angle = vdi__env_uniform(&p->head.rng, -VDI_PI, VDI_PI);
    p->speed = vdi__env_uniform(&p->head.rng, -1, 1);
    vdi__pendulum_look(p, obs);
    return VDI_OK;
}

VDI__FN vdi_status vdi__pendulum_step(void *self, const float *action, float *obs, float *reward, int *end, vdi_error *err) {
    vdi__pendulum *p = (vdi__pendulum *)self;
    const double g = 10, m = 1, l = 1, dt = 0.05;
    double u = 2 * (double)action[0], turn = fmod(p->angle + VDI_PI, 2 * VDI_PI);
    (void)err;
    if (turn < 0) turn += 2 * VDI_PI;
    turn -= VDI_PI;
    reward[0] = (float)-(turn * turn); /* of the state before the step */
    reward[1] = (float)(-0.1 * p->speed * p->speed);
    reward[2] = (float)(-0.001 * u * u);
    p->speed = vdi__env_clip(p->speed + (3 * g / (2 * l) * sin(p->angle) + 3 / (m * l * l) * u) * dt, -8, 8);
    p->angle += p->speed * dt;
    vdi__pendulum_look(p, obs);
    *end = ++p->head.steps >= 200 ? VDI_ENV_TRUNCATED : 0;
    return VDI_OK;
}

VDI__DEF void vdi_env_pendulum_place(vdi_env *env, double angle, double speed, float *obs) {
    vdi__pendulum *p = (vdi__pendulum *)env->self;
    p->head.steps = 0;
    p->angle = angle;
    p->speed = speed;
    vdi__pendulum_look(p, obs);
}

/* ---- the list ------------------------------------------------------------------------------------------------------------- */

static const char *const vdi__pendulum_observation[] = {"cos", "sin", "speed"};
static const char *const vdi__pendulum_action[] = {"torque"};
static const char *const vdi__pendulum_component[] = {"angle", "speed", "torque"};

static const vdi_env_entry vdi__env_entries[] = {
    {{"pendulum", 3, 1, 3, 200, vdi__pendulum_observation, vdi__pendulum_action, vdi__pendulum_component, vdi__pendulum_reset,
      vdi__pendulum_step, vdi__env_free, NULL},
     "swing a pendulum up and hold it there"},
};
static const size_t vdi__env_sizes[] = {sizeof(vdi__pendulum)};

VDI__DEF const vdi_env_entry *vdi_env_list(int64_t *count) {
    if (count) *count = (int64_t)VDI__COUNT(vdi__env_entries);
    return vdi__env_entries;
}

VDI__DEF vdi_status vdi_env_open(const char *name, const vdi_allocator *a, vdi_env *env, vdi_error *err) {
    vdi_allocator allocator = vdi_allocator_defaults(a);
    char names[128] = VDI__ZERO;
    size_t used = 0;
    memset(env, 0, sizeof *env);
    for (size_t i = 0; i < VDI__COUNT(vdi__env_entries); i++) {
        const vdi_env_entry *entry = &vdi__env_entries[i];
        used += vdi_text_format(names + used, sizeof names - used, "%s%s", i ? ", " : "", entry->env.name);
        if (!name || strcmp(name, entry->env.name) != 0) continue;
        vdi__env_head *head = (vdi__env_head *)vdi_alloc(&allocator, vdi__env_sizes[i]);
        if (!head) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_env_open", "no memory for the %zu bytes of %s", vdi__env_sizes[i], name);
        memset(head, 0, vdi__env_sizes[i]);
        head->allocator = allocator;
        head->size = vdi__env_sizes[i];
        *env = entry->env;
        env->self = head;
        return VDI_OK;
    }
    return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_open", "expected an environment among %s, got %s", names, name ? name : "NULL");
}

VDI__DEF vdi_status vdi_env_pendulum(vdi_env *env) { return vdi_env_open("pendulum", NULL, env, NULL); }
#endif
