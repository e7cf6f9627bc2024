/* model/env/pendulum.h - Gymnasium 1.4.0's Pendulum-v1: swing a pendulum up and hold it there
 *
 * Do this:
 *     vdi_env env;
 *     float obs[3];
 *     if (vdi_env_open("pendulum", NULL, &env, &err) < 0) puts(err.message);
 *     else vdi_env_pendulum_place(&env, 3.1, 0, obs);              nearly hanging down, at rest
 *     vdi_env_close(&env);
 *
 * State and rewards in double, observations in float: (cos th, sin th, w). With the angle th (rad,
 * 0 is up), the speed w (rad/s), the torque u = 2 action, g = 10, m = l = 1, dt = 0.05 s:
 *     reward   -wrap(th)^2, -0.1 w^2, -0.001 u^2            of the state before the step
 *     w'       clip(w + (3 g / (2 l) sin th + 3 / (m l^2) u) dt, -8, 8)
 *     th'      th + w' dt
 *     start    th ~ U(-pi,pi), w ~ U(-1,1);                 200 steps
 * Memory, errors, threads: as model/env/builtin.h.
 */
#ifndef VDI_MODEL_ENV_PENDULUM_H
#define VDI_MODEL_ENV_PENDULUM_H
#include "kind.h"

/** Begin an episode of an open pendulum at an angle (rad, 0 is up) and speed (rad/s) of your
 *  choice; obs (3). */
VDI_API void vdi_env_pendulum_place(vdi_env *env, double angle, double speed, float *obs);

#endif /* VDI_MODEL_ENV_PENDULUM_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_PENDULUM_C)
#define VDI_MODEL_ENV_PENDULUM_C

enum { VDI__PENDULUM_LIMIT = 200 };

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

/* An angle as one of [-pi,pi). */
VDI__FN double vdi__pendulum_wrap(double angle) {
    double turn = fmod(angle + VDI_PI, 2 * VDI_PI);
    if (turn < 0) turn += 2 * VDI_PI;
    return turn - VDI_PI;
}

VDI__FN vdi_status vdi__pendulum_step(void *self, const float *action, float *obs, float *reward,
                                      int *end, vdi_error *err) {
    vdi__pendulum *p = (vdi__pendulum *)self;
    const double g = 10, m = 1, l = 1, dt = 0.05;
    const double torque = 2 * (double)action[0], angle = vdi__pendulum_wrap(p->angle);
    (void)err;
    reward[0] = (float)-(angle * angle);
    reward[1] = (float)(-0.1 * p->speed * p->speed);
    reward[2] = (float)(-0.001 * torque * torque);
    const double change = (3 * g / (2 * l) * sin(p->angle) + 3 / (m * l * l) * torque) * dt;
    p->speed = vdi__env_clamp(p->speed + change, -8, 8);
    p->angle += p->speed * dt;
    vdi__pendulum_look(p, obs);
    p->head.steps++;
    *end = p->head.steps >= VDI__PENDULUM_LIMIT ? VDI_ENV_TRUNCATED : 0;
    return VDI_OK;
}

VDI__DEF void vdi_env_pendulum_place(vdi_env *env, double angle, double speed, float *obs) {
    vdi__pendulum *p = (vdi__pendulum *)env->self;
    p->head.steps = 0;
    p->angle = angle;
    p->speed = speed;
    vdi__pendulum_look(p, obs);
}

static const char *const vdi__pendulum_observation[] = {"cos", "sin", "speed (rad/s)"};
static const char *const vdi__pendulum_action[] = {"torque (2 N m)"};
static const char *const vdi__pendulum_component[] = {"angle", "speed", "torque"};

static const vdi_env_entry vdi__env_pendulum = {
    {"pendulum", 3, 1, 3, VDI__PENDULUM_LIMIT, vdi__pendulum_observation, vdi__pendulum_action,
     vdi__pendulum_component, vdi__pendulum_reset, vdi__pendulum_step, vdi__env_free, NULL, false,
     true},
    sizeof(vdi__pendulum),
    "swing a pendulum up and hold it there (Gymnasium's Pendulum-v1)"};
#endif
