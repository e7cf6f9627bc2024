/* model/env.h - an environment is a small struct of callbacks whose reward is a vector with names
 *
 * Do this:
 *     vdi_env env;                                                     vdi_env_pendulum(&env) of model/env_builtin.h, or your own
 *     float obs[VDI_ENV_MAX_OBSERVATIONS], action[VDI_ENV_MAX_ACTIONS] = {0}, reward[VDI_ENV_MAX_COMPONENTS];
 *     int end = 0;
 *     if (vdi_env_reset(&env, seed, 0, obs, &err) < 0) puts(err.message);
 *     while (!end)
 *         if (vdi_env_step(&env, action, obs, reward, &end, &err) < 0) break;
 *     vdi_env_close(&env);
 *
 * Actions are in [-1,1] each; an environment scales them itself. An episode is a function of (seed, episode) and the actions alone, so
 * that any of them can be run again, and a run can be resumed at the start of an episode.
 * vdi_env_reset and vdi_env_step check what comes back: a size out of range or a number that is not finite is a status, and the episode
 * is over. Memory: none here. Threads: one environment per thread.
 * What it does NOT do: discrete actions, images.
 */
#ifndef VDI_MODEL_ENV_H
#define VDI_MODEL_ENV_H
#include "../core/rng.h"
#include "../core/status.h"

/** Most numbers of an observation, of an action, and components of a reward. */
#define VDI_ENV_MAX_OBSERVATIONS 256
#define VDI_ENV_MAX_ACTIONS 32
#define VDI_ENV_MAX_COMPONENTS 32

/** Why a step was the last of its episode. Values bootstrap at a time-out, not at a terminal state. */
enum {
    VDI_ENV_TERMINATED = 1, /**< the task ended the episode */
    VDI_ENV_TRUNCATED = 2   /**< the time limit did */
};

/** An environment: what it is, and how to run it. Fill one for a simulator of your own. */
typedef struct vdi_env {
    const char *name;                /**< such as "pendulum" */
    int64_t observations;            /**< numbers in an observation */
    int64_t actions;                 /**< numbers in an action, each in [-1,1] */
    int64_t components;              /**< m, numbers in a reward; their sum is the scalar reward */
    int64_t limit;                   /**< steps of the longest episode; 0: none */
    const char *const *observation;  /**< (observations) names, or NULL */
    const char *const *action;       /**< (actions) names, or NULL */
    const char *const *component;    /**< (components) names */
    /** Begin episode number `episode` of the run `seed`; writes the first observation. */
    vdi_status (*reset)(void *self, uint64_t seed, uint64_t episode, float *obs, vdi_error *err);
    /** One step: reads `action`, writes the next observation, the reward vector, and 0 or VDI_ENV_ flags into `end`. */
    vdi_status (*step)(void *self, const float *action, float *obs, float *reward, int *end, vdi_error *err);
    void (*close)(void *self); /**< give everything back; may be NULL */
    void *self;                /**< handed to them */
} vdi_env;

/** VDI_OK, or which member is missing or out of range. */
VDI_API vdi_status vdi_env_check(const vdi_env *env, vdi_error *err);
/** Begin an episode; obs (observations). */
VDI_API VDI_NODISCARD vdi_status vdi_env_reset(vdi_env *env, uint64_t seed, uint64_t episode, float *obs, vdi_error *err);
/** One step; action (actions) is clipped to [-1,1], obs (observations), reward (components). VDI_ERR_NUMERIC if something is not finite. */
VDI_API VDI_NODISCARD vdi_status vdi_env_step(vdi_env *env, const float *action, float *obs, float *reward, int *end, vdi_error *err);
/** Give everything back; `env` may be zero. */
VDI_API void vdi_env_close(vdi_env *env);

#endif /* VDI_MODEL_ENV_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_C)
#define VDI_MODEL_ENV_C
#endif
