/* examples/vdi/environment.c - the environment that a verb is asked for: built in, or a program
 *
 * Each of them is on a leash: a signal ends an episode at its next step, also one that would never
 * end, and --limit is the longest that an episode may be.
 */
#include "tool.h"

/* ---- the leash ------------------------------------------------------------------------------- */

typedef struct leash {
    vdi_env env; /* what is on it */
} leash;

static vdi_status leash_pulled(vdi_error *err) {
    return vdi_error_set(err, VDI_ERR_STATE, "env", "interrupted");
}

static vdi_status leash_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                              vdi_error *err) {
    leash *l = (leash *)self;
    if (interrupted()) return leash_pulled(err);
    return l->env.reset(l->env.self, seed, episode, obs, err);
}

static vdi_status leash_step(void *self, const float *action, float *obs, float *reward, int *end,
                             vdi_error *err) {
    leash *l = (leash *)self;
    if (interrupted()) return leash_pulled(err);
    return l->env.step(l->env.self, action, obs, reward, end, err);
}

static void leash_close(void *self) {
    leash *l = (leash *)self;
    vdi_env_close(&l->env);
    free(l);
}

static bool leash_put_on(vdi_env *env, int64_t limit) {
    leash *l = (leash *)calloc(1, sizeof *l);
    if (!l) {
        vdi_env_close(env);
        (void)fail("out of memory");
        return false;
    }
    l->env = *env;
    env->reset = leash_reset;
    env->step = leash_step;
    env->close = leash_close;
    env->self = l;
    if (limit > 0 && (env->limit == 0 || limit < env->limit)) env->limit = limit;
    return true;
}

/* ---- which one ------------------------------------------------------------------------------- */

static const char *const lander_component[] = {"position",    "velocity",  "angle",
                                               "left_leg",    "right_leg", "main_engine",
                                               "side_engine", "failure",   "success"};
static const char *const walker_component[] = {"forward", "hull_angle", "torque", "failure"};

const env_program env_programs[] = {
    {{"lunar-lander", 8, 2, 9, 1000, NULL, NULL, lander_component, NULL, NULL, NULL, NULL, false,
      false},
     "build/box2d/lunar_lander",
     "Gymnasium's LunarLander (continuous) on Box2D"},
    {{"bipedal-walker", 24, 4, 4, 1600, NULL, NULL, walker_component, NULL, NULL, NULL, NULL, false,
      false},
     "build/box2d/bipedal_walker",
     "Gymnasium's BipedalWalker on Box2D"},
    {{NULL, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, false}, NULL, NULL},
};

static bool open_unleashed(const char *name, const char *line, double timeout, vdi_env *env) {
    vdi_error err = {0};
    bool named = name && *name, served = line && *line;
    memset(env, 0, sizeof *env);
    if (named == served) {
        exit(usage("expected one of --env NAME and --env-cmd \"CMD\", got %s",
                   named ? "both" : "neither"));
    }
    if (served) return server_open(line, timeout, env);
    if (vdi_env_open(name, NULL, env, &err) >= 0) return true;
    if (err.status == VDI_ERR_MEMORY) {
        (void)fail_error(&err, NULL);
        return false;
    }
    for (const env_program *p = env_programs; p->line; p++) {
        if (strcmp(name, p->env.name) == 0) {
            exit(usage("--env: %s runs outside the tool: expected make box2d, then --env-cmd %s",
                       name, p->line));
        }
    }
    exit(usage("--env: %s; others run outside, behind --env-cmd (vdi sacd envs)", err.message));
}

bool env_open_as(const char *name, const char *line, const env_options *o, vdi_env *env) {
    return open_unleashed(name, line, o->timeout, env) && leash_put_on(env, o->limit);
}

/* A line out of a file, where a terminal is told no more than its letters. */
static const char *shown(const char *line) {
    static char text[400];
    size_t n = 0;
    for (; line[n] && n + 1 < sizeof text; n++)
        text[n] = (unsigned char)line[n] < ' ' || line[n] == 127 ? '?' : line[n];
    text[n] = 0;
    return text;
}

bool env_command_trusted(const char *line, const char *file, bool trust) {
    if (!trust) {
        (void)usage("a file does not start a program: give --env-cmd yourself, or --trust to run "
                    "'%s', which stands in %s",
                    shown(line), file);
        return false;
    }
    fprintf(stderr, "vdi: running '%s', which stands in %s\n", shown(line), file);
    return true;
}

bool env_open(const run *r, const env_options *o, vdi_env *env) {
    if (o->command && option_given(r, "env-cmd") == IN_FILE &&
        !env_command_trusted(o->command, "its run.json", o->trust))
        exit(USAGE);
    return env_open_as(o->name, o->command, o, env);
}
