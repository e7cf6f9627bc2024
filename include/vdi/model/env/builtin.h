/* model/env/builtin.h - the environments that need nothing: pendulum, lander, navigate
 *
 * Do this:
 *     vdi_env env;
 *     if (vdi_env_open("pendulum", NULL, &env, &err) < 0)
 *         puts(err.message);   or vdi_env_pendulum(&env)
 *     vdi_env_close(&env);
 *
 *     int64_t count;
 *     const vdi_env_entry *list = vdi_env_list(&count);
 *     for (int64_t i = 0; i < count; i++) printf("%s: %s\n", list[i].env.name, list[i].summary);
 *
 * pendulum is Gymnasium 1.4.0's Pendulum-v1, state and rewards in double, observations in float.
 * lander has the observations, actions and nine components of LunarLander (continuous), but a body,
 * legs and a rule of touchdown of its own: one rigid body over flat ground, so results on it are
 * not results on LunarLander. navigate is a point robot. docs/env.md has the equations, the units,
 * and which observation is which for those who want to draw a scene.
 * Memory: one block each, from the allocator. Errors: statuses. Threads: one environment, one
 * thread. What they do NOT do: rendering.
 */
#ifndef VDI_MODEL_ENV_BUILTIN_H
#define VDI_MODEL_ENV_BUILTIN_H
#include "../../core/alloc.h"
#include "env.h"

/** What the list of environments holds. */
typedef struct vdi_env_entry {
    vdi_env env;         /**< name, sizes and names; `self` is NULL: open it by its name */
    const char *summary; /**< one sentence */
} vdi_env_entry;

/** The built-in environments; *count (may be NULL) receives how many. */
VDI_API const vdi_env_entry *vdi_env_list(int64_t *count);
/** Open one by name; `a` NULL: malloc. VDI_ERR_ARGUMENT with the names there are, or
 * VDI_ERR_MEMORY; `env` is zero then. */
VDI_API VDI_NODISCARD vdi_status vdi_env_open(const char *name, const vdi_allocator *a,
                                              vdi_env *env, vdi_error *err);
/** vdi_env_open("pendulum", NULL, env, NULL): 3 observations, 1 action, 3 components, 200 steps. */
VDI_API vdi_status vdi_env_pendulum(vdi_env *env);
/** vdi_env_open("lander", NULL, env, NULL): 8 observations, 2 actions, 9 components, 1000 steps. */
VDI_API vdi_status vdi_env_lander(vdi_env *env);
/** vdi_env_open("navigate", NULL, env, NULL): 16 observations, 2 actions, 4 components, 200
 * steps. */
VDI_API vdi_status vdi_env_navigate(vdi_env *env);
/** Begin an episode of an open pendulum at an angle (rad, 0 is up) and speed (rad/s) of your
 * choice; obs (3). */
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

VDI__INLINE double vdi__env_uniform(vdi_rng *rng, double low, double high) {
    return low + (high - low) * vdi_rng_uniform(rng);
}
VDI__INLINE double vdi__env_clip(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

/* ---- pendulum: Gymnasium 1.4.0, Pendulum-v1 -------------------------------------------------- */

typedef struct vdi__pendulum {
    vdi__env_head head;
    double angle, speed; /* rad from upright, not wrapped; rad/s */
} vdi__pendulum;

VDI__FN void vdi__pendulum_look(const vdi__pendulum *p, float *obs) {
    obs[0] = (float)cos(p->angle);
    obs[1] = (float)sin(p->angle);
    obs[2] = (float)p->speed;
}

VDI__FN vdi_status vdi__pendulum_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                                       vdi_error *err) {
    vdi__pendulum *p = (vdi__pendulum *)self;
    (void)err;
    p->head.rng = vdi_env_rng(seed, episode);
    p->head.steps = 0;
    p->angle = vdi__env_uniform(&p->head.rng, -VDI_PI, VDI_PI);
    p->speed = vdi__env_uniform(&p->head.rng, -1, 1);
    vdi__pendulum_look(p, obs);
    return VDI_OK;
}

VDI__FN vdi_status vdi__pendulum_step(void *self, const float *action, float *obs, float *reward,
                                      int *end, vdi_error *err) {
    vdi__pendulum *p = (vdi__pendulum *)self;
    const double g = 10;
    const double m = 1;
    const double l = 1;
    const double dt = 0.05;
    double u = 2 * (double)action[0], turn = fmod(p->angle + VDI_PI, 2 * VDI_PI);
    (void)err;
    if (turn < 0) turn += 2 * VDI_PI;
    turn -= VDI_PI;
    reward[0] = (float)-(turn * turn); /* of the state before the step */
    reward[1] = (float)(-0.1 * p->speed * p->speed);
    reward[2] = (float)(-0.001 * u * u);
    p->speed = vdi__env_clip(
        p->speed + (3 * g / (2 * l) * sin(p->angle) + 3 / (m * l * l) * u) * dt, -8, 8);
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

/* ---- lander: one rigid body over flat ground ------------------------------------------------- */

/* Lengths in LunarLander's units (30 of its pixels), mass and inertia those of its hull and legs
 * together, engines and observations its own. The ground is the line y = 0, and the legs are two
 * springs with dampers and friction under the hull. The rule of touchdown is this file's: a foot
 * that comes down faster than 2.5 units/s, or a corner of the hull under the ground, is a failure;
 * half a second on both feet without motion is success, wherever it is. */
#define VDI__LANDER_MASS 4.96
#define VDI__LANDER_INERTIA 0.95
#define VDI__LANDER_SUBSTEPS 4

typedef struct vdi__lander {
    vdi__env_head head;
    double x, y, angle, vx, vy, spin; /* centre of the hull: units, rad, per second; x = 0 is the
                                         middle */
    bool foot[2], failed;             /* left, right: on the ground */
    int rest;                         /* steps that it has been still */
    double shaped[5];                 /* position, velocity, angle, feet of the state now */
} vdi__lander;

VDI__FN void vdi__lander_look(vdi__lander *s, float *obs) {
    double o[8];
    o[0] = s->x / 10;
    o[1] = (s->y - 0.6) / (20.0 / 3);
    o[2] = s->vx * 10 / 50;
    o[3] = s->vy * (20.0 / 3) / 50;
    o[4] = s->angle;
    o[5] = s->spin * 20 / 50;
    o[6] = s->foot[0];
    o[7] = s->foot[1];
    s->shaped[0] = -100 * sqrt(o[0] * o[0] + o[1] * o[1]);
    s->shaped[1] = -100 * sqrt(o[2] * o[2] + o[3] * o[3]);
    s->shaped[2] = -100 * fabs(o[4]);
    s->shaped[3] = 10 * o[6];
    s->shaped[4] = 10 * o[7];
    for (int i = 0; i < 8; i++)
        obs[i] = (float)o[i];
}

VDI__FN vdi_status vdi__lander_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                                     vdi_error *err) {
    vdi__lander *s = (vdi__lander *)self;
    vdi_rng rng = vdi_env_rng(seed, episode);
    (void)err;
    s->x = s->angle = s->spin = 0;
    s->y = 10;
    s->vx = vdi__env_uniform(&rng, -1000, 1000) / (50 * VDI__LANDER_MASS); /* a push of one step */
    s->vy = vdi__env_uniform(&rng, -1000, 1000) / (50 * VDI__LANDER_MASS);
    s->foot[0] = s->foot[1] = s->failed = false;
    s->rest = 0;
    s->head.steps = 0;
    s->head.rng = rng;
    vdi__lander_look(s, obs);
    return VDI_OK;
}

VDI__FN void vdi__lander_kick(vdi__lander *s, double rx, double ry, double jx,
                              double jy) { /* an impulse at a place relative to the centre */
    s->vx += jx / VDI__LANDER_MASS;
    s->vy += jy / VDI__LANDER_MASS;
    s->spin += (rx * jy - ry * jx) / VDI__LANDER_INERTIA;
}

VDI__FN void vdi__lander_move(vdi__lander *s, double dt) {
    static const double corner[6][2] = {{-14, 17}, {-17, 0}, {-17, -10}, {17, -10},
                                        {17, 0},   {14, 17}}; /* pixels, as LunarLander's hull */
    double c = cos(s->angle), n = sin(s->angle);
    vdi__lander_kick(s, 0, 0, 0, -10 * VDI__LANDER_MASS * dt);
    double vx = s->vx, vy = s->vy, spin = s->spin; /* both feet see the same motion */
    for (int i = 0; i < 2; i++) {
        double bx = i ? 0.8 : -0.8;
        double by = -0.6;
        double rx = c * bx - n * by;
        double ry = n * bx + c * by;
        double deep = -(s->y + ry);
        bool stood = s->foot[i];
        s->foot[i] = deep > 0;
        if (!s->foot[i]) continue;
        double down = vy + spin * rx, along = vx - spin * ry;
        if (!stood && down < -2.5) s->failed = true;
        double force = 1500 * deep - 40 * down;
        if (force <= 0) continue;
        vdi__lander_kick(s, rx, ry, -vdi__env_clip(100 * along, -0.5 * force, 0.5 * force) * dt,
                         force * dt);
    }
    s->x += s->vx * dt;
    s->y += s->vy * dt;
    s->angle += s->spin * dt;
    for (int i = 0; i < 6; i++) {
        if (s->y + (sin(s->angle) * corner[i][0] + cos(s->angle) * corner[i][1]) / 30 < 0)
            s->failed = true;
    }
}

VDI__FN vdi_status vdi__lander_step(void *self, const float *action, float *obs, float *reward,
                                    int *end, vdi_error *err) {
    vdi__lander *s = (vdi__lander *)self;
    double d0 = vdi__env_uniform(&s->head.rng, -1, 1) / 30;
    double d1 = vdi__env_uniform(&s->head.rng, -1, 1) / 30;
    double before[5];
    double main_power = action[0] > 0 ? 0.5 + 0.5 * (double)action[0] : 0;
    double side_power = fabs((double)action[1]);
    /* (-tx, ty) is upwards from the hull's own point of view */
    double tx = sin(s->angle), ty = cos(s->angle);
    (void)err;
    if (side_power <= 0.5) side_power = 0;
    memcpy(before, s->shaped, sizeof before);
    if (main_power > 0) {
        double along = 4.0 / 30 + 2 * d0, rx = tx * along - ty * d1, ry = -ty * along - tx * d1;
        vdi__lander_kick(s, rx, ry, -13 * main_power * rx, -13 * main_power * ry);
    }
    if (side_power > 0) {
        double across = 3 * d1 + (action[1] > 0 ? 12.0 : -12.0) / 30;
        double px = tx * d0 - ty * across;
        double py = -ty * d0 - tx * across;
        vdi__lander_kick(s, px - tx * 14 / 30, py + ty * 14 / 30, -0.6 * side_power * px,
                         -0.6 * side_power * py);
    }
    for (int i = 0; i < VDI__LANDER_SUBSTEPS; i++)
        vdi__lander_move(s, 1.0 / (50 * VDI__LANDER_SUBSTEPS));
    vdi__lander_look(s, obs);

    for (int i = 0; i < 5; i++)
        reward[i] = (float)(s->shaped[i] - before[i]);
    reward[5] = (float)(-0.30 * main_power);
    reward[6] = (float)(-0.03 * side_power);
    reward[7] = reward[8] = 0;
    bool still = s->foot[0] && s->foot[1] && fabs(s->vx) + fabs(s->vy) + fabs(s->spin) < 0.05;
    s->rest = still ? s->rest + 1 : 0;
    if (fabs(s->x) >= 10) s->failed = true;
    *end = ++s->head.steps >= 1000 ? VDI_ENV_TRUNCATED : 0;
    if (s->failed || s->rest >= 25) { /* as in LunarLander, the end replaces the reward */
        memset(reward, 0, 7 * sizeof *reward);
        reward[7] = s->failed ? -100.0f : 0;
        reward[8] = s->failed ? 0 : 100.0f;
        *end = VDI_ENV_TERMINATED;
    }
    return VDI_OK;
}

/* ---- navigate: a point robot ----------------------------------------------------------------- */

#define VDI__NAVIGATE_OBSTACLES 3

/* A square of 10 m; 0.1 s a step, thrust up to 2 m/s^2 along each axis, drag 0.5 per second. The
 * tank lasts for 100 steps of full thrust.
 */
typedef struct vdi__navigate {
    vdi__env_head head;
    double x, y, vx, vy, goal[2], fuel;          /* m, m/s; fuel 1 is a full tank */
    double obstacle[VDI__NAVIGATE_OBSTACLES][3]; /* m: centre, radius */
} vdi__navigate;

VDI__FN double vdi__navigate_far(const vdi__navigate *s) {
    return hypot(s->goal[0] - s->x, s->goal[1] - s->y);
}

VDI__FN void vdi__navigate_look(const vdi__navigate *s, float *obs) {
    *obs++ = (float)(s->x / 5);
    *obs++ = (float)(s->y / 5);
    *obs++ = (float)(s->vx / 2);
    *obs++ = (float)(s->vy / 2);
    *obs++ = (float)((s->goal[0] - s->x) / 5);
    *obs++ = (float)((s->goal[1] - s->y) / 5);
    for (int i = 0; i < VDI__NAVIGATE_OBSTACLES; i++) {
        *obs++ = (float)((s->obstacle[i][0] - s->x) / 5);
        *obs++ = (float)((s->obstacle[i][1] - s->y) / 5);
        *obs++ = (float)(s->obstacle[i][2] / 5);
    }
    *obs = (float)s->fuel;
}

VDI__FN vdi_status vdi__navigate_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                                       vdi_error *err) {
    vdi__navigate *s = (vdi__navigate *)self;
    vdi_rng rng = vdi_env_rng(seed, episode);
    (void)err;
    /* the goal is at least 5 m away: opposite quarters of the square, so that nothing has to be
     * tried again */
    double turn = vdi_rng_bernoulli(&rng, 0.5) ? 1 : -1;
    double side = vdi_rng_bernoulli(&rng, 0.5) ? 1 : -1;
    s->x = side * vdi__env_uniform(&rng, -4.5, -2.5);
    s->y = turn * vdi__env_uniform(&rng, -4.5, -2.5);
    s->goal[0] = side * vdi__env_uniform(&rng, 2.5, 4.5);
    s->goal[1] = turn * vdi__env_uniform(&rng, 2.5, 4.5);
    s->vx = s->vy = 0;
    s->fuel = 1;
    for (int i = 0; i < VDI__NAVIGATE_OBSTACLES; i++) {
        /* one near the line from start to goal, the others about the middle */
        double *o = s->obstacle[i];
        double share = vdi__env_uniform(&rng, 0.35, 0.65);
        double spread = i ? 2.5 : 0.5;
        o[2] = vdi__env_uniform(&rng, 0.5, 0.9);
        o[0] = s->x + share * (s->goal[0] - s->x) + vdi__env_uniform(&rng, -spread, spread);
        o[1] = s->y + share * (s->goal[1] - s->y) + vdi__env_uniform(&rng, -spread, spread);
        for (int tries = 0;
             tries < 64 && (hypot(o[0] - s->x, o[1] - s->y) < o[2] + 0.6 ||
                            hypot(o[0] - s->goal[0], o[1] - s->goal[1]) < o[2] + 0.6);
             tries++) {
            o[0] = vdi__env_uniform(&rng, -2, 2);
            o[1] = vdi__env_uniform(&rng, -2, 2);
        }
    }
    s->head.rng = rng;
    s->head.steps = 0;
    vdi__navigate_look(s, obs);
    return VDI_OK;
}

VDI__FN vdi_status vdi__navigate_step(void *self, const float *action, float *obs, float *reward,
                                      int *end, vdi_error *err) {
    vdi__navigate *s = (vdi__navigate *)self;
    const double dt = 0.1;
    double ax = (double)action[0];
    double ay = (double)action[1];
    double used = ax * ax + ay * ay;
    double before = vdi__navigate_far(s);
    double close = 0;
    (void)err;
    if (s->fuel <= 0) ax = ay = used = 0;
    s->fuel = VDI__MAX(s->fuel - used / 200, 0);
    s->vx += dt * (2 * ax - 0.5 * s->vx);
    s->vy += dt * (2 * ay - 0.5 * s->vy);
    s->x += dt * s->vx;
    s->y += dt * s->vy;
    if (fabs(s->x) > 5) { /* walls */
        s->x = vdi__env_clip(s->x, -5, 5);
        s->vx = 0;
    }
    if (fabs(s->y) > 5) {
        s->y = vdi__env_clip(s->y, -5, 5);
        s->vy = 0;
    }
    for (int i = 0; i < VDI__NAVIGATE_OBSTACLES; i++) {
        /* from 0.3 m before the edge on; twice that deep inside */
        double gap = hypot(s->obstacle[i][0] - s->x, s->obstacle[i][1] - s->y) - s->obstacle[i][2];
        close += vdi__env_clip((0.3 - gap) / 0.3, 0, 2);
    }
    double after = vdi__navigate_far(s);
    bool there = after < 0.3;
    reward[0] = (float)(2 * (before - after) + (there ? 20 : 0));
    reward[1] = (float)-close;
    reward[2] = (float)(-0.1 * used);
    reward[3] = -0.05f;
    vdi__navigate_look(s, obs);
    s->head.steps++;
    *end = there ? VDI_ENV_TERMINATED : s->head.steps >= 200 ? VDI_ENV_TRUNCATED : 0;
    return VDI_OK;
}

/* ---- the list -------------------------------------------------------------------------------- */

static const char *const vdi__pendulum_observation[] = {"cos", "sin", "speed"};
static const char *const vdi__pendulum_action[] = {"torque"};
static const char *const vdi__pendulum_component[] = {"angle", "speed", "torque"};
static const char *const vdi__lander_observation[] = {"x",     "y",    "vx",       "vy",
                                                      "angle", "spin", "left_leg", "right_leg"};
static const char *const vdi__lander_action[] = {"main_engine", "side_engine"};
static const char *const vdi__lander_component[] = {"position",    "velocity",  "angle",
                                                    "left_leg",    "right_leg", "main_engine",
                                                    "side_engine", "failure",   "success"};
static const char *const vdi__navigate_observation[] = {
    "x",           "y",           "vx",          "vy",          "goal_x",      "goal_y",
    "obstacle0_x", "obstacle0_y", "obstacle0_r", "obstacle1_x", "obstacle1_y", "obstacle1_r",
    "obstacle2_x", "obstacle2_y", "obstacle2_r", "fuel"};
static const char *const vdi__navigate_action[] = {"thrust_x", "thrust_y"};
static const char *const vdi__navigate_component[] = {"goal", "obstacles", "fuel", "time"};

static const vdi_env_entry vdi__env_entries[] = {
    {{"pendulum", 3, 1, 3, 200, vdi__pendulum_observation, vdi__pendulum_action,
      vdi__pendulum_component, vdi__pendulum_reset, vdi__pendulum_step, vdi__env_free, NULL},
     "swing a pendulum up and hold it there (Gymnasium's Pendulum-v1)"},
    {{"lander", 8, 2, 9, 1000, vdi__lander_observation, vdi__lander_action, vdi__lander_component,
      vdi__lander_reset, vdi__lander_step, vdi__env_free, NULL},
     "land a rocket on two legs (LunarLander's rewards, a simpler body)"},
    {{"navigate", 16, 2, 4, 200, vdi__navigate_observation, vdi__navigate_action,
      vdi__navigate_component, vdi__navigate_reset, vdi__navigate_step, vdi__env_free, NULL},
     "steer a point robot around obstacles to a goal before the fuel is out"},
};
static const size_t vdi__env_sizes[] = {sizeof(vdi__pendulum), sizeof(vdi__lander),
                                        sizeof(vdi__navigate)};

VDI__DEF const vdi_env_entry *vdi_env_list(int64_t *count) {
    if (count) *count = (int64_t)VDI__COUNT(vdi__env_entries);
    return vdi__env_entries;
}

VDI__DEF vdi_status vdi_env_open(const char *name, const vdi_allocator *a, vdi_env *env,
                                 vdi_error *err) {
    vdi_allocator allocator = vdi_allocator_defaults(a);
    char names[128] = VDI__ZERO;
    size_t used = 0;
    memset(env, 0, sizeof *env);
    for (size_t i = 0; i < VDI__COUNT(vdi__env_entries); i++) {
        const vdi_env_entry *entry = &vdi__env_entries[i];
        used += vdi_text_format(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                                entry->env.name);
        if (!name || strcmp(name, entry->env.name) != 0) continue;
        vdi__env_head *head = (vdi__env_head *)vdi_alloc(&allocator, vdi__env_sizes[i]);
        if (!head) {
            return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_env_open",
                                 "no memory for the %zu bytes of %s", vdi__env_sizes[i], name);
        }
        memset(head, 0, vdi__env_sizes[i]);
        head->allocator = allocator;
        head->size = vdi__env_sizes[i];
        *env = entry->env;
        env->self = head;
        return VDI_OK;
    }
    return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_open",
                         "expected an environment among %s, got %s", names, name ? name : "NULL");
}

VDI__DEF vdi_status vdi_env_pendulum(vdi_env *env) {
    return vdi_env_open("pendulum", NULL, env, NULL);
}
VDI__DEF vdi_status vdi_env_lander(vdi_env *env) { return vdi_env_open("lander", NULL, env, NULL); }
VDI__DEF vdi_status vdi_env_navigate(vdi_env *env) {
    return vdi_env_open("navigate", NULL, env, NULL);
}
#endif
