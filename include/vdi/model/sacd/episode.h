/* model/sacd/episode.h - an agent in an environment: training step by step, playing, resuming an
 * episode
 *
 * Do this:
 *     vdi_sacd_episode *episode;
 *     if (vdi_sacd_episode_create(agent, NULL, &episode, &err) < 0) puts(err.message);
 *     for (int64_t step = 0; step < 10000; step++) {
 *         if (vdi_sacd_step(agent, &env, episode, NULL, &err) < 0) puts(err.message);
 *     }
 *     double sums[3];                                              for each component of the reward
 *     if (vdi_sacd_play(agent, &env, 7, 0, sums, NULL, &err) < 0) puts(err.message);
 *     vdi_sacd_episode_destroy(episode);
 *
 * For several environments at once, say simulators in separate processes, use an episode for each,
 * with its index and their number (lane, lanes), and vdi_sacd_step_all instead of vdi_sacd_step.
 * Their steps run side by side, everything else in order, so the same number of them gives the same
 * bits. A game or robot with its own loop calls vdi_sacd_explore, vdi_sacd_observe, vdi_sacd_due
 * and vdi_sacd_update itself, which is all that vdi_sacd_step does.
 * To continue where a saved run stopped, even in the middle of an episode: save the agent's
 * training state with episode->index and episode->steps; later restore the agent, set both, and
 * call vdi_sacd_catch_up. It plays the actions of that episode again, which the replay buffer
 * holds, and compares what the environment returns with what it returned then.
 * Memory: taken at create; a step allocates nothing. Errors: statuses; those of the environment are
 * passed on. Threads: those of the agent.
 */
#ifndef VDI_MODEL_SACD_EPISODE_H
#define VDI_MODEL_SACD_EPISODE_H
#include "sacd.h"

/** An episode under way, made by vdi_sacd_episode_create; `index`, `steps`, `lane` and `lanes` may
 *  be set. */
typedef struct vdi_sacd_episode {
    int64_t index;   /**< the episode's number, counted up by `lanes` when the next one begins */
    int64_t steps;   /**< steps so far */
    int64_t lane;    /**< which of the environments that are stepped together this is in ... */
    int64_t lanes;   /**< ... and how many those are; 0 is 1 */
    int end;         /**< VDI_ENV_ flags once it has ended; the next step begins a new one */
    int own_end;     /**< the same without env.limit: what the environment itself said */
    bool running;    /**< has it begun? */
    double *sum;     /**< (components) rewards so far */
    float *obs;      /**< (observations) before the next step */
    float *action;   /**< (actions) of the last step */
    float *reward;   /**< (components) of the last step */
    float *next;     /**< (observations) after the last step */
    vdi_error error; /**< what went wrong in the last step, if something did */
    vdi_allocator allocator; /**< where the memory came from ... */
    size_t bytes;            /**< ... and how much it is */
} vdi_sacd_episode;

/** An episode of number 0 for environments of the agent's sizes; `a` NULL: malloc. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_episode_create(const vdi_sacd *agent,
                                                         const vdi_allocator *a,
                                                         vdi_sacd_episode **out, vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_sacd_episode_destroy(vdi_sacd_episode *e);
/** One step of training in an environment: begin an episode if none runs, act, observe, update if
 *  due. `stats` (may be NULL) is written when there was an update. On an error of the environment
 *  the episode is dropped: running is false. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_step(vdi_sacd *agent, vdi_env *env, vdi_sacd_episode *e,
                                               vdi_sacd_stats *stats, vdi_error *err);
/** One step of training in each of n environments: actions are drawn in order, the environments
 *  step side by side on the threads of `pool` (NULL: one after the other), then transition by
 *  transition is observed, with an update where one is due. stats (n; may be NULL): [k] is
 *  cleared, and written when there was an update after transition k. env[k] is of episode[k],
 *  whose `lane` has to be k and `lanes` n. Where an environment fails, its error is returned and
 *  nothing of that step is observed: the agent is as before, all episodes are dropped, and a state
 *  that is saved then can be gone on with. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_step_all(vdi_sacd *agent, int64_t n, vdi_env *env,
                                                   vdi_sacd_episode *const *episode, vdi_pool *pool,
                                                   vdi_sacd_stats *stats, vdi_error *err);
/** After vdi_sacd_restore, with e->index and e->steps as they were saved: bring the environment to
 *  where it was. *exact (may be NULL): the run goes on as if it had never stopped; false: the
 *  environment does not repeat itself, or the replay buffer no longer holds all of the episode, so
 *  that the next step begins the next one. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_catch_up(vdi_sacd *agent, vdi_env *env,
                                                   vdi_sacd_episode *e, bool *exact,
                                                   vdi_error *err);
/** Play one episode without learning, with tanh(mean): sums (components) of the rewards, their
 *  number of steps; NULL: not wanted. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_play(vdi_sacd *agent, vdi_env *env, uint64_t seed,
                                               uint64_t episode, double *sums, int64_t *steps,
                                               vdi_error *err);

#endif /* VDI_MODEL_SACD_EPISODE_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_EPISODE_C)
#define VDI_MODEL_SACD_EPISODE_C

/* ---- memory -------------------------------------------------------------------------------- */

/* Places of the arrays behind a block that begins with the struct; returns the bytes. */
VDI__FN size_t vdi__episode_place(const vdi_sacd_desc *d, vdi_sacd_episode *e) {
    const size_t sum = vdi_align_size(sizeof *e);
    const size_t obs = sum + (size_t)d->components * sizeof(double);
    const size_t action = obs + (size_t)d->observations * sizeof(float);
    const size_t reward = action + (size_t)d->actions * sizeof(float);
    const size_t next = reward + (size_t)d->components * sizeof(float);
    char *block = (char *)e;
    if (e) {
        e->sum = (double *)(void *)(block + sum);
        e->obs = (float *)(void *)(block + obs);
        e->action = (float *)(void *)(block + action);
        e->reward = (float *)(void *)(block + reward);
        e->next = (float *)(void *)(block + next);
    }
    return next + (size_t)d->observations * sizeof(float);
}

VDI__DEF vdi_status vdi_sacd_episode_create(const vdi_sacd *g, const vdi_allocator *a,
                                            vdi_sacd_episode **out, vdi_error *err) {
    const vdi_allocator allocator = vdi_allocator_defaults(a);
    const size_t bytes = vdi__episode_place(&g->desc, NULL);
    vdi_sacd_episode *e = (vdi_sacd_episode *)vdi_alloc(&allocator, bytes);
    *out = e;
    if (!e) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_sacd_episode_create",
                             "no memory for the %zu bytes of an episode", bytes);
    }
    memset(e, 0, bytes);
    (void)vdi__episode_place(&g->desc, e);
    e->allocator = allocator;
    e->bytes = bytes;
    return VDI_OK;
}

VDI__DEF void vdi_sacd_episode_destroy(vdi_sacd_episode *e) {
    if (!e) return;
    vdi_allocator a = e->allocator;
    vdi_free(&a, e, e->bytes);
}

/* ---- steps --------------------------------------------------------------------------------- */

VDI__FN vdi_status vdi__sacd_fits(const vdi_sacd *g, const vdi_env *env, vdi_error *err) {
    const vdi_sacd_desc *d = &g->desc;
    if (env->observations == d->observations && env->actions == d->actions &&
        env->components == d->components) {
        if (env->discrete == d->discrete) return VDI_OK;
        return vdi_error_set(
            err, VDI_ERR_SHAPE, "vdi_sacd_step", "the agent's actions are %s, the environment's %s",
            d->discrete ? "choices" : "numbers", env->discrete ? "choices" : "numbers");
    }
    return vdi_error_set(err, VDI_ERR_SHAPE, "vdi_sacd_step",
                         "the agent has %lld observations, %lld actions, %lld components, the "
                         "environment %lld, %lld, %lld",
                         (long long)d->observations, (long long)d->actions,
                         (long long)d->components, (long long)env->observations,
                         (long long)env->actions, (long long)env->components);
}

/* One step of the environment into `next`, with the time limit held; sums go on. */
VDI__FN vdi_status vdi__episode_advance(vdi_env *env, vdi_sacd_episode *e, float *next,
                                        vdi_error *err) {
    int end = 0;
    vdi_status status = vdi_env_step(env, e->action, next, e->reward, &end, err);
    if (status < 0) {
        e->running = false;
        return status;
    }
    e->steps++;
    e->own_end = end;
    if (env->limit > 0 && e->steps >= env->limit && !end) end = VDI_ENV_TRUNCATED;
    for (int64_t i = 0; i < env->components; i++)
        e->sum[i] += (double)e->reward[i];
    e->end = end;
    return VDI_OK;
}

VDI__FN vdi_status vdi__episode_begin(vdi_env *env, uint64_t seed, vdi_sacd_episode *e,
                                      vdi_error *err) {
    e->steps = 0;
    e->end = 0;
    memset(e->sum, 0, (size_t)env->components * sizeof *e->sum);
    vdi_status status = vdi_env_reset(env, seed, (uint64_t)e->index, e->obs, err);
    e->running = status >= 0;
    return status;
}

VDI__FN int64_t vdi__episode_lanes(const vdi_sacd_episode *e) { return VDI__MAX(e->lanes, 1); }

/* Begin an episode if none runs, and choose an action. */
VDI__FN vdi_status vdi__step_choose(vdi_sacd *g, vdi_env *env, vdi_sacd_episode *e,
                                    vdi_error *err) {
    vdi_status status = vdi__sacd_fits(g, env, err);
    if (status >= 0 && (!e->running || e->end)) {
        if (e->end) e->index += vdi__episode_lanes(e);
        status = vdi__episode_begin(env, g->desc.seed, e, err);
    }
    if (status < 0) return status;
    status = vdi__sacd_explore(g, vdi__episode_lanes(e), e->obs, e->action);
    if (status < 0) {
        return vdi_error_set(err, status, "vdi_sacd_step",
                             "the policy has no finite action for an observation at step %lld",
                             (long long)e->steps);
    }
    return VDI_OK;
}

typedef struct vdi__step_jobs {
    vdi_env *env;
    vdi_sacd_episode *const *episode;
} vdi__step_jobs;

VDI__FN void vdi__step_job(int64_t index, int worker, void *user) {
    const vdi__step_jobs *jobs = (const vdi__step_jobs *)user;
    vdi_sacd_episode *e = jobs->episode[index];
    (void)worker;
    e->error.status = VDI_OK;
    (void)vdi__episode_advance(&jobs->env[index], e, e->next, &e->error);
}

/* Remember what the step was, and learn if it is time to. */
VDI__FN vdi_status vdi__step_learn(vdi_sacd *g, vdi_sacd_episode *e, vdi_sacd_stats *stats,
                                   vdi_error *err) {
    vdi_status status = vdi_sacd_observe(g, e->obs, e->action, e->reward, e->next, e->end, err);
    if (status < 0) return status;
    memcpy(e->obs, e->next, (size_t)g->desc.observations * sizeof *e->obs);
    return vdi_sacd_due(g) ? vdi_sacd_update(g, stats, err) : VDI_OK;
}

/* As if this step had not been made; the environments are beyond it, so their episodes end. */
VDI__FN void vdi__step_undo(int64_t n, vdi_sacd_episode *const *episode) {
    for (int64_t k = 0; k < n; k++) {
        vdi_sacd_episode *e = episode[k];
        if (e->error.status >= 0) e->steps--;
        e->running = false;
        e->end = 0;
    }
}

VDI__DEF vdi_status vdi_sacd_step_all(vdi_sacd *g, int64_t n, vdi_env *env,
                                      vdi_sacd_episode *const *episode, vdi_pool *pool,
                                      vdi_sacd_stats *stats, vdi_error *err) {
    vdi__step_jobs jobs;
    vdi_status status = VDI_OK;
    const int64_t acts = g->count.acts;
    jobs.env = env;
    jobs.episode = episode;
    for (int64_t k = 0; k < n && status >= 0; k++)
        status = vdi__step_choose(g, &env[k], episode[k], err);
    if (status < 0) {
        g->count.acts = acts;
        return status;
    }
    vdi_pool_run(pool, n, vdi__step_job, &jobs);
    for (int64_t k = 0; k < n; k++) {
        if (episode[k]->error.status >= 0) continue;
        if (err) *err = episode[k]->error;
        status = episode[k]->error.status;
        vdi__step_undo(n, episode);
        g->count.acts = acts;
        return status;
    }
    for (int64_t k = 0; k < n && status >= 0; k++) {
        if (stats) memset(&stats[k], 0, sizeof stats[k]);
        status = vdi__step_learn(g, episode[k], stats ? &stats[k] : NULL, err);
    }
    return status;
}

VDI__DEF vdi_status vdi_sacd_step(vdi_sacd *g, vdi_env *env, vdi_sacd_episode *e,
                                  vdi_sacd_stats *stats, vdi_error *err) {
    const int64_t acts = g->count.acts;
    vdi_status status = vdi__step_choose(g, env, e, err);
    if (status >= 0) status = vdi__episode_advance(env, e, e->next, err);
    if (status >= 0) return vdi__step_learn(g, e, stats, err);
    g->count.acts = acts;
    return status;
}

/* ---- going on ------------------------------------------------------------------------------ */

/* Does the environment say what it said then? */
VDI__FN bool vdi__episode_same(const vdi_env *env, const vdi_transition *past,
                               const vdi_sacd_episode *e, const float *next) {
    const size_t obs = (size_t)env->observations * sizeof(float);
    const size_t reward = (size_t)env->components * sizeof(float);
    return memcmp(past->next, next, obs) == 0 && memcmp(past->reward, e->reward, reward) == 0 &&
           past->end == e->end;
}

/* The transition that this episode has made `back` steps ago; those of lanes stand in turn. */
VDI__FN vdi_transition vdi__episode_past(const vdi_sacd *g, const vdi_sacd_episode *e,
                                         int64_t back) {
    const int64_t lanes = vdi__episode_lanes(e);
    return vdi_replay_recent(g->replay, back * lanes + lanes - 1 - e->lane);
}

/* The actions of the last `steps` transitions once more; *exact becomes false where the environment
   leaves the recorded way. */
VDI__FN vdi_status vdi__episode_repeat(vdi_sacd *g, vdi_env *env, vdi_sacd_episode *e,
                                       int64_t steps, bool *exact, vdi_error *err) {
    const size_t obs = (size_t)env->observations * sizeof(float);
    const size_t action = (size_t)env->actions * sizeof(float);
    vdi_status status = vdi__episode_begin(env, g->desc.seed, e, err);
    if (status < 0) return status;
    const vdi_transition first = vdi__episode_past(g, e, steps - 1);
    *exact = memcmp(first.obs, e->obs, obs) == 0;
    for (int64_t k = steps - 1; k >= 0 && *exact; k--) {
        const vdi_transition past = vdi__episode_past(g, e, k);
        memcpy(e->action, past.action, action);
        status = vdi__episode_advance(env, e, e->next, err);
        if (status < 0) return status;
        *exact = vdi__episode_same(env, &past, e, e->next);
        memcpy(e->obs, e->next, obs);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_sacd_catch_up(vdi_sacd *g, vdi_env *env, vdi_sacd_episode *e, bool *exact,
                                      vdi_error *err) {
    const int64_t steps = e->steps, index = e->index, lanes = vdi__episode_lanes(e);
    bool same = steps >= 0 && steps <= vdi_replay_count(g->replay) / lanes;
    vdi_status status = vdi__sacd_fits(g, env, err);
    if (status < 0) return status;
    e->running = false;
    e->end = 0;
    if (exact) *exact = same;
    if (steps == 0) return VDI_OK; /* it had not begun */
    if (same && vdi__episode_past(g, e, 0).end) {
        e->index = index + lanes; /* it had ended */
        return VDI_OK;
    }
    if (same) status = vdi__episode_repeat(g, env, e, steps, &same, err);
    if (status < 0) return status;
    if (exact) *exact = same;
    if (!same) {
        e->running = false;
        e->end = 0;
        e->index = index + lanes;
    }
    return VDI_OK;
}

/* ---- playing ------------------------------------------------------------------------------- */

VDI__DEF vdi_status vdi_sacd_play(vdi_sacd *g, vdi_env *env, uint64_t seed, uint64_t episode,
                                  double *sums, int64_t *steps, vdi_error *err) {
    vdi_sacd_episode *e = g->playing;
    vdi_status status = vdi__sacd_fits(g, env, err);
    if (status < 0) return status;
    e->index = (int64_t)episode;
    status = vdi__episode_begin(env, seed, e, err);
    while (status >= 0 && !e->end) {
        status = vdi_sacd_act(g, e->obs, true, e->action);
        if (status < 0) {
            (void)vdi_error_set(err, status, "vdi_sacd_play",
                                "the policy has no finite action for an observation at step %lld",
                                (long long)e->steps);
            break;
        }
        status = vdi__episode_advance(env, e, e->obs, err);
    }
    for (int64_t i = 0; sums && i < env->components; i++)
        sums[i] = e->sum[i];
    if (steps) *steps = e->steps;
    return status;
}
#endif
