/* model/env/env.h - an environment is a struct of callbacks; its reward is a vector with names
 *
 * Do this:
 *     vdi_env env;
 *     float obs[3], action[1] = {0}, reward[3];
 *     int end = 0;
 *     if (vdi_env_pendulum(&env) < 0) puts("no memory");              or an environment of yours
 *     if (vdi_env_reset(&env, seed, 0, obs, &err) < 0) puts(err.message);
 *     while (!end) {
 *         if (vdi_env_step(&env, action, obs, reward, &end, &err) < 0) break;
 *     }
 *     vdi_env_close(&env);
 *
 * Actions are in [-1,1] each; an environment scales them itself. Where it takes one of n choices
 * instead (`discrete`), it has n actions, of which the largest is the one that is chosen; its step
 * receives 1 for that one and 0 for the others, and vdi_env_choice returns its index. An episode
 * is a function of (seed, episode) and the actions alone, so that any of them can be run again,
 * and a run can be resumed: vdi_sacd_catch_up of model/sacd/episode.h plays the same actions once
 * more. vdi_env_reset and vdi_env_step check what comes back: a size out of range or a number that
 * is not finite is a status, and the episode is over.
 * Memory: none here; a caller's arrays are as long as the environment says. Errors: statuses.
 * Threads: one environment per thread.
 * What it does NOT do: images, mixed discrete and continuous actions.
 */
#ifndef VDI_MODEL_ENV_ENV_H
#define VDI_MODEL_ENV_ENV_H
#include "../../core/rng.h"
#include "../../core/status.h"

/** What an environment may have at most. Take memory for what it does have: env.observations ... */
#define VDI_ENV_MAX_OBSERVATIONS 65536
#define VDI_ENV_MAX_ACTIONS 1024
#define VDI_ENV_MAX_COMPONENTS 255

/** Why a step was the last of its episode. Values bootstrap at a time-out, not at a terminal
 *  state. */
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
    const char *const *observation; /**< (observations) names as "speed (rad/s)", or NULL */
    const char *const *action;      /**< (actions) names as "torque (2 N m)", or NULL */
    const char *const *component;   /**< (components) names */
    /** Begin episode number `episode` of the run `seed`; writes the first observation. */
    vdi_status (*reset)(void *self, uint64_t seed, uint64_t episode, float *obs, vdi_error *err);
    /** One step: reads `action`, writes the next observation, the reward vector, and 0 or VDI_ENV_
     *  flags into `end`. */
    vdi_status (*step)(void *self, const float *action, float *obs, float *reward, int *end,
                       vdi_error *err);
    void (*close)(void *self); /**< give everything back; may be NULL */
    void *self;                /**< handed to them */
    bool discrete;             /**< an action is one of `actions` choices */
    bool goes_on;              /**< may be stepped on after a time-out, to see what would come */
} vdi_env;

/** VDI_OK, or which member is missing or out of range. All names have to be UTF-8 without control
 *  characters: they go into tables, pictures and pages. */
VDI_API vdi_status vdi_env_check(const vdi_env *env, vdi_error *err);
/** Begin an episode; obs (observations). Checks the environment first, as vdi_env_check does. */
VDI_API VDI_NODISCARD vdi_status vdi_env_reset(vdi_env *env, uint64_t seed, uint64_t episode,
                                               float *obs, vdi_error *err);
/** One step; action (actions) is clipped to [-1,1], or made a choice where they are choices; obs
 *  (observations), reward (components). VDI_ERR_NUMERIC if something is not finite; after any
 *  error *end is VDI_ENV_TRUNCATED. */
VDI_API VDI_NODISCARD vdi_status vdi_env_step(vdi_env *env, const float *action, float *obs,
                                              float *reward, int *end, vdi_error *err);
/** Which of n choices an action is: the largest of its numbers, the first one of equals. */
VDI_API int64_t vdi_env_choice(int64_t n, const float *action);
/** Write choice number `which` of n as an action: 1 there, 0 elsewhere. */
VDI_API void vdi_env_choose(int64_t n, int64_t which, float *action);
/** Give everything back; `env` may be zero. */
VDI_API void vdi_env_close(vdi_env *env);
/** The random numbers of an episode: stream `episode` of a seed made from `seed`, so that they are
 *  none of those that an agent with the same seed draws. For simulators that are written in C or
 *  C++. */
VDI_API vdi_rng vdi_env_rng(uint64_t seed, uint64_t episode);

#endif /* VDI_MODEL_ENV_ENV_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_ENV_C)
#define VDI_MODEL_ENV_ENV_C

VDI__DEF vdi_rng vdi_env_rng(uint64_t seed, uint64_t episode) {
    return vdi_rng_make(seed ^ UINT64_C(0x76646920656e7669), episode); /* "vdi envi" */
}

/* ---- is it an environment? --------------------------------------------------------------- */

VDI__FN vdi_status vdi__env_size(int64_t n, int64_t most, const char *what, const char *name,
                                 vdi_error *err) {
    if (n >= 1 && n <= most) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_check",
                         "environment %s: expected 1 to %lld %s, got %lld", name, (long long)most,
                         what, (long long)n);
}

/* UTF-8 without control characters, so that it stays on one line wherever it is written. */
VDI__FN bool vdi__env_name_ok(const char *name) {
    for (size_t length; *name; name += length) {
        if ((unsigned char)*name < 32 || *name == 127) return false;
        length = vdi__utf8_length(name, 4); /* stops at the end of the text */
        if (length == 0) return false;
    }
    return true;
}

VDI__FN vdi_status vdi__env_names(const char *const *names, int64_t n, const char *what,
                                  const char *name, vdi_error *err) {
    for (int64_t i = 0; names && i < n; i++) {
        const char *wrong = !names[i]                    ? "has no name"
                            : vdi__env_name_ok(names[i]) ? NULL
                                                         : "has a name that is not plain UTF-8";
        if (!wrong) continue;
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_check",
                             "environment %s: %s %lld of %lld %s", name, what, (long long)i + 1,
                             (long long)n, wrong);
    }
    return VDI_OK;
}

/* All but the names, which are many: cheap enough for each step. */
VDI__FN vdi_status vdi__env_check_sizes(const vdi_env *env, vdi_error *err) {
    static const char where[] = "vdi_env_check";
    const char *missing = !env          ? "NULL"
                          : !env->reset ? "no reset"
                          : !env->step  ? "no step"
                          : !env->name  ? "no name"
                                        : NULL;
    if (missing) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "expected an environment with reset, step and a name, got %s",
                             missing);
    }
    const char *name =
        vdi__env_name_ok(env->name) ? env->name : "with a name that is not plain UTF-8";
    vdi_status status =
        vdi__env_size(env->observations, VDI_ENV_MAX_OBSERVATIONS, "observations", name, err);
    if (status >= 0)
        status = vdi__env_size(env->actions, VDI_ENV_MAX_ACTIONS, "actions", name, err);
    if (status >= 0) {
        status = vdi__env_size(env->components, VDI_ENV_MAX_COMPONENTS, "components", name, err);
    }
    if (status < 0) return status;
    if (env->limit < 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "environment %s: expected a limit of 0 (none) or more steps, got %lld",
                             name, (long long)env->limit);
    }
    if (!env->component) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "environment %s: expected names of its components, got NULL", name);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_env_check(const vdi_env *env, vdi_error *err) {
    vdi_status status = vdi__env_check_sizes(env, err);
    if (status < 0) return status;
    if (!vdi__env_name_ok(env->name)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_check",
                             "the environment's name is not plain UTF-8");
    }
    status = vdi__env_names(env->component, env->components, "component", env->name, err);
    if (status >= 0) {
        status = vdi__env_names(env->observation, env->observations, "observation", env->name, err);
    }
    if (status >= 0) status = vdi__env_names(env->action, env->actions, "action", env->name, err);
    return status;
}

/* ---- an episode -------------------------------------------------------------------------- */

/* The first number that is not finite, by its name. */
VDI__FN vdi_status vdi__env_finite(const vdi_env *env, const char *where, const char *what,
                                   const char *const *names, int64_t n, const float *x,
                                   vdi_error *err) {
    for (int64_t i = 0; i < n; i++) {
        if (x[i] - x[i] == 0) continue;
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "environment %s: expected finite numbers, got %g as %s %lld (%s)",
                             env->name, (double)x[i], what, (long long)i,
                             names ? names[i] : "no name");
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_env_reset(vdi_env *env, uint64_t seed, uint64_t episode, float *obs,
                                  vdi_error *err) {
    static const char where[] = "vdi_env_reset";
    vdi_status status = vdi_env_check(env, err);
    if (status < 0) return status;
    if (!obs) return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "obs is NULL");
    status = env->reset(env->self, seed, episode, obs, err);
    if (status < 0) return status;
    return vdi__env_finite(env, where, "observation", env->observation, env->observations, obs,
                           err);
}

VDI__DEF int64_t vdi_env_choice(int64_t n, const float *action) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        if (action[i] > action[best]) best = i;
    }
    return best;
}

VDI__DEF void vdi_env_choose(int64_t n, int64_t which, float *action) {
    for (int64_t i = 0; i < n; i++)
        action[i] = i == which ? 1.0f : 0.0f;
}

/* The step itself, from sound arguments. */
VDI__FN vdi_status vdi__env_run(vdi_env *env, const float *action, float *obs, float *reward,
                                int *end, vdi_error *err) {
    static const char where[] = "vdi_env_step";
    float clipped[VDI_ENV_MAX_ACTIONS];
    for (int64_t i = 0; i < env->actions; i++) {
        clipped[i] = action[i] < -1 ? -1 : action[i] > 1 ? 1 : action[i];
    }
    if (env->discrete) vdi_env_choose(env->actions, vdi_env_choice(env->actions, action), clipped);
    *end = 0;
    vdi_status status = env->step(env->self, clipped, obs, reward, end, err);
    if (status < 0) return status;
    status = vdi__env_finite(env, where, "reward", env->component, env->components, reward, err);
    if (status < 0) return status;
    status =
        vdi__env_finite(env, where, "observation", env->observation, env->observations, obs, err);
    if (status < 0) return status;
    if (*end & ~(VDI_ENV_TERMINATED | VDI_ENV_TRUNCATED)) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "environment %s: expected the end to be flags 1 and 2, got %d",
                             env->name, *end);
    }
    return status;
}

VDI__DEF vdi_status vdi_env_step(vdi_env *env, const float *action, float *obs, float *reward,
                                 int *end, vdi_error *err) {
    static const char where[] = "vdi_env_step";
    vdi_status status = vdi__env_check_sizes(env, err);
    if (status >= 0 && (!action || !obs || !reward || !end)) {
        status = vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                               "expected action, obs, reward and end, got a NULL");
    }
    if (status >= 0) {
        status = vdi__env_finite(env, where, "action", env->action, env->actions, action, err);
    }
    if (status >= 0) status = vdi__env_run(env, action, obs, reward, end, err);
    if (status < 0 && end) *end = VDI_ENV_TRUNCATED;
    return status;
}

VDI__DEF void vdi_env_close(vdi_env *env) {
    if (!env) return;
    if (env->close) env->close(env->self);
    memset(env, 0, sizeof *env);
}
#endif
