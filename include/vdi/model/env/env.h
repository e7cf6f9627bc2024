/* model/env/env.h - an environment is a small struct of callbacks whose reward is a vector with
 * names
 *
 * Do this:
 *     vdi_env env;   vdi_env_pendulum(&env) of model/env/builtin.h, or your own
 *     float obs[VDI_ENV_MAX_OBSERVATIONS], action[VDI_ENV_MAX_ACTIONS] = {0},
 *         reward[VDI_ENV_MAX_COMPONENTS];
 *     int end = 0;
 *     if (vdi_env_reset(&env, seed, 0, obs, &err) < 0) puts(err.message);
 *     while (!end)
 *         if (vdi_env_step(&env, action, obs, reward, &end, &err) < 0) break;
 *     vdi_env_close(&env);
 *
 * Actions are in [-1,1] each; an environment scales them itself. An episode is a function of (seed,
 * episode) and the actions alone, so that any of them can be run again, and a run can be resumed at
 * the start of an episode.
 * vdi_env_reset and vdi_env_step check what comes back: a size out of range or a number that is not
 * finite is a status, and the episode is over. Memory: none here. Threads: one environment per
 * thread.
 * What it does NOT do: discrete actions, images.
 */
#ifndef VDI_MODEL_ENV_ENV_H
#define VDI_MODEL_ENV_ENV_H
#include "../../core/rng.h"
#include "../../core/status.h"

/** Most numbers of an observation, of an action, and components of a reward. */
#define VDI_ENV_MAX_OBSERVATIONS 256
#define VDI_ENV_MAX_ACTIONS 32
#define VDI_ENV_MAX_COMPONENTS 32

/** Why a step was the last of its episode. Values bootstrap at a time-out, not at a terminal
 * state. */
enum {
    VDI_ENV_TERMINATED = 1, /**< the task ended the episode */
    VDI_ENV_TRUNCATED = 2   /**< the time limit did */
};

/** An environment: what it is, and how to run it. Fill one for a simulator of your own. */
typedef struct vdi_env {
    const char *name;               /**< such as "pendulum" */
    int64_t observations;           /**< numbers in an observation */
    int64_t actions;                /**< numbers in an action, each in [-1,1] */
    int64_t components;             /**< m, numbers in a reward; their sum is the scalar reward */
    int64_t limit;                  /**< steps of the longest episode; 0: none */
    const char *const *observation; /**< (observations) names, or NULL */
    const char *const *action;      /**< (actions) names, or NULL */
    const char *const *component;   /**< (components) names */
    /** Begin episode number `episode` of the run `seed`; writes the first observation. */
    vdi_status (*reset)(void *self, uint64_t seed, uint64_t episode, float *obs, vdi_error *err);
    /** One step: reads `action`, writes the next observation, the reward vector, and 0 or VDI_ENV_
     * flags into `end`. */
    vdi_status (*step)(void *self, const float *action, float *obs, float *reward, int *end,
                       vdi_error *err);
    void (*close)(void *self); /**< give everything back; may be NULL */
    void *self;                /**< handed to them */
} vdi_env;

/** VDI_OK, or which member is missing or out of range. */
VDI_API vdi_status vdi_env_check(const vdi_env *env, vdi_error *err);
/** Begin an episode; obs (observations). */
VDI_API VDI_NODISCARD vdi_status vdi_env_reset(vdi_env *env, uint64_t seed, uint64_t episode,
                                               float *obs, vdi_error *err);
/** One step; action (actions) is clipped to [-1,1], obs (observations), reward (components).
 * VDI_ERR_NUMERIC if something is not finite;
 *  after any error *end is VDI_ENV_TRUNCATED. */
VDI_API VDI_NODISCARD vdi_status vdi_env_step(vdi_env *env, const float *action, float *obs,
                                              float *reward, int *end, vdi_error *err);
/** Give everything back; `env` may be zero. */
VDI_API void vdi_env_close(vdi_env *env);
/** The random numbers of an episode: stream `episode` of a seed made from `seed`, so that they are
 * none of those that an agent with the
 *  same seed draws. For simulators that are written in C or C++. */
VDI_API vdi_rng vdi_env_rng(uint64_t seed, uint64_t episode);

#endif /* VDI_MODEL_ENV_ENV_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_ENV_C)
#define VDI_MODEL_ENV_ENV_C

VDI__DEF vdi_rng vdi_env_rng(uint64_t seed, uint64_t episode) {
    /* "vdi envi": apart from what an agent draws from the same seed */
    return vdi_rng_make(seed ^ UINT64_C(0x76646920656e7669), episode);
}

VDI__FN bool vdi__env_size(int64_t n, int64_t most, const char *what, const char *name,
                           vdi_error *err) {
    if (n >= 1 && n <= most) return true;
    (void)vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_check",
                        "environment %s: expected 1 to %lld %s, got %lld", name, (long long)most,
                        what, (long long)n);
    return false;
}

VDI__FN bool vdi__env_names(const char *const *names, int64_t n, const char *what, const char *name,
                            vdi_error *err) {
    for (int64_t i = 0; i < n; i++) {
        if (!names[i]) {
            (void)vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_check",
                                "environment %s: %s %lld of %lld has no name", name, what,
                                (long long)i + 1, (long long)n);
            return false;
        }
    }
    return true;
}

VDI__DEF vdi_status vdi_env_check(const vdi_env *env, vdi_error *err) {
    if (!env || !env->reset || !env->step) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_check",
                             "expected an environment with reset and step, got %s",
                             !env          ? "NULL"
                             : !env->reset ? "no reset"
                                           : "no step");
    }
    if (!env->name) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_check",
                             "expected an environment with a name, got none");
    }
    if (!vdi__env_size(env->observations, VDI_ENV_MAX_OBSERVATIONS, "observations", env->name,
                       err) ||
        !vdi__env_size(env->actions, VDI_ENV_MAX_ACTIONS, "actions", env->name, err) ||
        !vdi__env_size(env->components, VDI_ENV_MAX_COMPONENTS, "components", env->name, err))
        return VDI_ERR_ARGUMENT;
    if (env->limit < 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_check",
                             "environment %s: expected a limit of 0 (none) or more steps, got %lld",
                             env->name, (long long)env->limit);
    }
    if (!env->component) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_check",
                             "environment %s: expected names of its components, got NULL",
                             env->name);
    }
    if (!vdi__env_names(env->component, env->components, "component", env->name, err) ||
        (env->observation &&
         !vdi__env_names(env->observation, env->observations, "observation", env->name, err)) ||
        (env->action && !vdi__env_names(env->action, env->actions, "action", env->name, err)))
        return VDI_ERR_ARGUMENT;
    return VDI_OK;
}

/* The first number that is not finite, by its name. */
VDI__FN vdi_status vdi__env_finite(const vdi_env *env, const char *where, const char *what,
                                   const char *const *names, int64_t n, const float *x,
                                   vdi_error *err) {
    for (int64_t i = 0; i < n; i++) {
        if (!(x[i] - x[i] == 0)) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                                 "environment %s: expected finite numbers, got %g as %s %lld (%s)",
                                 env->name, (double)x[i], what, (long long)i,
                                 names ? names[i] : "no name");
        }
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_env_reset(vdi_env *env, uint64_t seed, uint64_t episode, float *obs,
                                  vdi_error *err) {
    vdi_status status = vdi_env_check(env, err);
    if (status == VDI_OK && !obs)
        status = vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_reset", "obs is NULL");
    if (status == VDI_OK) status = env->reset(env->self, seed, episode, obs, err);
    if (status >= 0) {
        status = vdi__env_finite(env, "vdi_env_reset", "observation", env->observation,
                                 env->observations, obs, err);
    }
    return status;
}

VDI__DEF vdi_status vdi_env_step(vdi_env *env, const float *action, float *obs, float *reward,
                                 int *end, vdi_error *err) {
    float clipped[VDI_ENV_MAX_ACTIONS];
    vdi_status status = vdi_env_check(env, err);
    if (status == VDI_OK && (!action || !obs || !reward || !end)) {
        status = vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_step",
                               "expected action, obs, reward and end, got a NULL");
    }
    if (status == VDI_OK) {
        status =
            vdi__env_finite(env, "vdi_env_step", "action", env->action, env->actions, action, err);
    }
    if (status < 0) {
        if (end) *end = VDI_ENV_TRUNCATED;
        return status;
    }
    for (int64_t i = 0; i < env->actions; i++)
        clipped[i] = action[i] < -1 ? -1 : action[i] > 1 ? 1 : action[i];
    *end = 0;
    status = env->step(env->self, clipped, obs, reward, end, err);
    if (status >= 0) {
        status = vdi__env_finite(env, "vdi_env_step", "reward", env->component, env->components,
                                 reward, err);
    }
    if (status >= 0) {
        status = vdi__env_finite(env, "vdi_env_step", "observation", env->observation,
                                 env->observations, obs, err);
    }
    if (status >= 0 && (*end & ~(VDI_ENV_TERMINATED | VDI_ENV_TRUNCATED))) {
        status = vdi_error_set(err, VDI_ERR_DATA, "vdi_env_step",
                               "environment %s: expected the end to be flags 1 and 2, got %d",
                               env->name, *end);
    }
    if (status < 0) *end = VDI_ENV_TRUNCATED;
    return status;
}

VDI__DEF void vdi_env_close(vdi_env *env) {
    if (!env) return;
    if (env->close) env->close(env->self);
    memset(env, 0, sizeof *env);
}
#endif
