/* model/env/navigate.h - a point robot between obstacles: to the goal before the fuel is out
 *
 * Do this:
 *     vdi_env env;
 *     if (vdi_env_open("navigate", NULL, &env, &err) < 0) puts(err.message);
 *     vdi_env_close(&env);
 *
 * A square of 10 m with walls; dt = 0.1 s. With the thrust 2 a (m/s^2), drag 0.5 per second,
 * d the distance to the goal and gap that to an obstacle's edge:
 *     v'         v + dt (2 a - 0.5 v),    p' = p + dt v'
 *     fuel'      fuel - |a|^2 / 200;      an empty tank means no thrust
 *     goal       2 (d - d') + 20 on arrival (d' < 0.3 m, which terminates)
 *     obstacles  - sum clip((0.3 - gap) / 0.3, 0, 2)
 *     fuel       -0.1 |a|^2 of the thrust that was given
 *     time       -0.05;                   200 steps
 * Observations: position, goal and obstacles (relative to it), radii in units of 5 m; velocity in
 * 2 m/s; fuel from 1 to 0. Memory, errors, threads: as model/env/builtin.h.
 */
#ifndef VDI_MODEL_ENV_NAVIGATE_H
#define VDI_MODEL_ENV_NAVIGATE_H
#include "kind.h"

#endif /* VDI_MODEL_ENV_NAVIGATE_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_NAVIGATE_C)
#define VDI_MODEL_ENV_NAVIGATE_C

enum { VDI__NAVIGATE_LIMIT = 200, VDI__NAVIGATE_OBSTACLES = 3 };

typedef struct vdi__navigate_obstacle {
    double x, y, radius; /* m */
} vdi__navigate_obstacle;

typedef struct vdi__navigate {
    vdi__env_head head;
    double x, y, vx, vy; /* m, m/s */
    double goal_x, goal_y;
    double fuel; /* 1 is a full tank */
    vdi__navigate_obstacle obstacle[VDI__NAVIGATE_OBSTACLES];
} vdi__navigate;

VDI__FN double vdi__navigate_distance(const vdi__navigate *s) {
    return hypot(s->goal_x - s->x, s->goal_y - s->y);
}

VDI__FN void vdi__navigate_look(const vdi__navigate *s, float *obs) {
    *obs++ = (float)(s->x / 5);
    *obs++ = (float)(s->y / 5);
    *obs++ = (float)(s->vx / 2);
    *obs++ = (float)(s->vy / 2);
    *obs++ = (float)((s->goal_x - s->x) / 5);
    *obs++ = (float)((s->goal_y - s->y) / 5);
    for (int i = 0; i < VDI__NAVIGATE_OBSTACLES; i++) {
        *obs++ = (float)((s->obstacle[i].x - s->x) / 5);
        *obs++ = (float)((s->obstacle[i].y - s->y) / 5);
        *obs++ = (float)(s->obstacle[i].radius / 5);
    }
    *obs = (float)s->fuel;
}

/* One near the line from start to goal, the others about the middle; none on start or goal. */
VDI__FN void vdi__navigate_place(vdi__navigate *s, vdi_rng *rng, int i) {
    vdi__navigate_obstacle *o = &s->obstacle[i];
    const double share = vdi__env_uniform(rng, 0.35, 0.65), spread = i ? 2.5 : 0.5;
    o->radius = vdi__env_uniform(rng, 0.5, 0.9);
    o->x = s->x + share * (s->goal_x - s->x) + vdi__env_uniform(rng, -spread, spread);
    o->y = s->y + share * (s->goal_y - s->y) + vdi__env_uniform(rng, -spread, spread);
    for (int tries = 0; tries < 64; tries++) {
        const double clear = o->radius + 0.6;
        if (!(hypot(o->x - s->x, o->y - s->y) < clear) &&
            !(hypot(o->x - s->goal_x, o->y - s->goal_y) < clear)) {
            break;
        }
        o->x = vdi__env_uniform(rng, -2, 2);
        o->y = vdi__env_uniform(rng, -2, 2);
    }
}

VDI__FN vdi_status vdi__navigate_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                                       vdi_error *err) {
    vdi__navigate *s = (vdi__navigate *)self;
    vdi_rng rng = vdi_env_rng(seed, episode);
    (void)err;
    /* the goal is at least 5 m away: opposite quarters of the square */
    const double upper = vdi_rng_bernoulli(&rng, 0.5) ? 1 : -1;
    const double right = vdi_rng_bernoulli(&rng, 0.5) ? 1 : -1;
    s->x = right * vdi__env_uniform(&rng, -4.5, -2.5);
    s->y = upper * vdi__env_uniform(&rng, -4.5, -2.5);
    s->goal_x = right * vdi__env_uniform(&rng, 2.5, 4.5);
    s->goal_y = upper * vdi__env_uniform(&rng, 2.5, 4.5);
    s->vx = s->vy = 0;
    s->fuel = 1;
    for (int i = 0; i < VDI__NAVIGATE_OBSTACLES; i++)
        vdi__navigate_place(s, &rng, i);
    s->head.rng = rng;
    s->head.steps = 0;
    vdi__navigate_look(s, obs);
    return VDI_OK;
}

/* From 0.3 m before the edge on; twice that deep inside. */
VDI__FN double vdi__navigate_closeness(const vdi__navigate *s) {
    double sum = 0;
    for (int i = 0; i < VDI__NAVIGATE_OBSTACLES; i++) {
        const vdi__navigate_obstacle *o = &s->obstacle[i];
        const double gap = hypot(o->x - s->x, o->y - s->y) - o->radius;
        sum += vdi__env_clamp((0.3 - gap) / 0.3, 0, 2);
    }
    return sum;
}

/* One coordinate against its walls. */
VDI__FN void vdi__navigate_wall(double *at, double *speed) {
    if (fabs(*at) <= 5) return;
    *at = vdi__env_clamp(*at, -5, 5);
    *speed = 0;
}

VDI__FN vdi_status vdi__navigate_step(void *self, const float *action, float *obs, float *reward,
                                      int *end, vdi_error *err) {
    vdi__navigate *s = (vdi__navigate *)self;
    const double dt = 0.1, before = vdi__navigate_distance(s);
    double ax = (double)action[0], ay = (double)action[1], used = ax * ax + ay * ay;
    (void)err;
    if (s->fuel <= 0) ax = ay = used = 0;
    s->fuel = VDI__MAX(s->fuel - used / 200, 0);
    s->vx += dt * (2 * ax - 0.5 * s->vx);
    s->vy += dt * (2 * ay - 0.5 * s->vy);
    s->x += dt * s->vx;
    s->y += dt * s->vy;
    vdi__navigate_wall(&s->x, &s->vx);
    vdi__navigate_wall(&s->y, &s->vy);
    const double after = vdi__navigate_distance(s);
    const bool there = after < 0.3;
    reward[0] = (float)(2 * (before - after) + (there ? 20 : 0));
    reward[1] = (float)-vdi__navigate_closeness(s);
    reward[2] = (float)(-0.1 * used);
    reward[3] = -0.05f;
    vdi__navigate_look(s, obs);
    s->head.steps++;
    *end = there                                  ? VDI_ENV_TERMINATED
           : s->head.steps >= VDI__NAVIGATE_LIMIT ? VDI_ENV_TRUNCATED
                                                  : 0;
    return VDI_OK;
}

static const char *const vdi__navigate_observation[] = {
    "x (5 m)",           "y (5 m)",           "vx (2 m/s)",        "vy (2 m/s)",
    "goal_x (5 m)",      "goal_y (5 m)",      "obstacle0_x (5 m)", "obstacle0_y (5 m)",
    "obstacle0_r (5 m)", "obstacle1_x (5 m)", "obstacle1_y (5 m)", "obstacle1_r (5 m)",
    "obstacle2_x (5 m)", "obstacle2_y (5 m)", "obstacle2_r (5 m)", "fuel (tanks)"};
static const char *const vdi__navigate_action[] = {"thrust_x (2 m/s^2)", "thrust_y (2 m/s^2)"};
static const char *const vdi__navigate_component[] = {"goal", "obstacles", "fuel", "time"};

static const vdi_env_entry vdi__env_navigate = {
    {"navigate", 16, 2, 4, VDI__NAVIGATE_LIMIT, vdi__navigate_observation, vdi__navigate_action,
     vdi__navigate_component, vdi__navigate_reset, vdi__navigate_step, vdi__env_free, NULL, false,
     true},
    sizeof(vdi__navigate),
    "steer a point robot around obstacles to a goal before the fuel is out"};
#endif
