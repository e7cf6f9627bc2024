/* model/env/cartpole.h - a pole on a cart: keep it upright, near the centre, with little effort
 *
 * Do this:
 *     vdi_env env;
 *     if (vdi_env_open("cartpole", NULL, &env, &err) < 0) puts(err.message);
 *     vdi_env_close(&env);
 *
 * The cart and pole of Barto, Sutton and Anderson 1983 (as Gymnasium's CartPole-v1: masses 1 kg and
 * 0.1 kg, half length l = 0.5 m, g = 9.8 m/s^2, Euler steps of dt = 0.02 s), with a reward of three
 * components. x is the cart's place (m), th the pole's angle (rad, 0 is up), F the force (N):
 *     q        (F + m l th'^2 sin th) / M,                      m = 0.1 kg, M = 1.1 kg
 *     th''     (g sin th - q cos th) / (l (4/3 - m cos^2 th / M)),    x'' = q - m l th'' cos th / M
 *     upright  1 - (th / 0.2095)^2 of the state after the step; -10 where the pole has fallen
 *     centre   -0.5 (x / 2.4)^2;        effort   -0.1 (F / 10)^2
 *     start    x, x', th, th' ~ U(-0.05, 0.05);                 500 steps
 *     end      |th| > 12 degrees (0.2095) or |x| > 2.4: the pole has fallen
 * "cartpole" has one action, F = 10 a; "cartpole-discrete" has three choices: left, nothing, right.
 * Observations: x / 2.4, x' / 2, th / 0.2095, th' / 2. Memory, errors, threads: as
 * model/env/builtin.h.
 */
#ifndef VDI_MODEL_ENV_CARTPOLE_H
#define VDI_MODEL_ENV_CARTPOLE_H
#include "kind.h"

#endif /* VDI_MODEL_ENV_CARTPOLE_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_CARTPOLE_C)
#define VDI_MODEL_ENV_CARTPOLE_C

enum { VDI__CARTPOLE_LIMIT = 500 };
#define VDI__CARTPOLE_ANGLE 0.20943951023931953 /* 12 degrees */
#define VDI__CARTPOLE_TRACK 2.4

typedef struct vdi__cartpole {
    vdi__env_head head;
    double x, vx, angle, spin; /* m, m/s, rad, rad/s */
} vdi__cartpole;

VDI__FN void vdi__cartpole_look(const vdi__cartpole *s, float *obs) {
    obs[0] = (float)(s->x / VDI__CARTPOLE_TRACK);
    obs[1] = (float)(s->vx / 2);
    obs[2] = (float)(s->angle / VDI__CARTPOLE_ANGLE);
    obs[3] = (float)(s->spin / 2);
}

VDI__FN vdi_status vdi__cartpole_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                                       vdi_error *err) {
    vdi__cartpole *s = (vdi__cartpole *)self;
    (void)err;
    s->head.rng = vdi_env_rng(seed, episode);
    s->head.steps = 0;
    s->x = vdi__env_uniform(&s->head.rng, -0.05, 0.05);
    s->vx = vdi__env_uniform(&s->head.rng, -0.05, 0.05);
    s->angle = vdi__env_uniform(&s->head.rng, -0.05, 0.05);
    s->spin = vdi__env_uniform(&s->head.rng, -0.05, 0.05);
    vdi__cartpole_look(s, obs);
    return VDI_OK;
}

/* One step under a force (N). */
VDI__FN void vdi__cartpole_move(vdi__cartpole *s, double force) {
    const double gravity = 9.8, pole = 0.1, all = 1.1, length = 0.5, dt = 0.02;
    const double sine = sin(s->angle), cosine = cos(s->angle);
    const double push = (force + pole * length * s->spin * s->spin * sine) / all;
    const double turn =
        (gravity * sine - push * cosine) / (length * (4.0 / 3.0 - pole * cosine * cosine / all));
    const double speed = push - pole * length * turn * cosine / all;
    s->x += dt * s->vx;
    s->vx += dt * speed;
    s->angle += dt * s->spin;
    s->spin += dt * turn;
}

VDI__FN void vdi__cartpole_advance(vdi__cartpole *s, double push, float *obs, float *reward,
                                   int *end) {
    vdi__cartpole_move(s, 10 * push);
    const double lean = s->angle / VDI__CARTPOLE_ANGLE, off = s->x / VDI__CARTPOLE_TRACK;
    const bool fallen = fabs(lean) > 1 || fabs(off) > 1;
    reward[0] = (float)(fallen ? -10 : 1 - lean * lean);
    reward[1] = (float)(-0.5 * off * off);
    reward[2] = (float)(-0.1 * push * push);
    vdi__cartpole_look(s, obs);
    s->head.steps++;
    *end = fallen                                 ? VDI_ENV_TERMINATED
           : s->head.steps >= VDI__CARTPOLE_LIMIT ? VDI_ENV_TRUNCATED
                                                  : 0;
}

VDI__FN vdi_status vdi__cartpole_step(void *self, const float *action, float *obs, float *reward,
                                      int *end, vdi_error *err) {
    (void)err;
    vdi__cartpole_advance((vdi__cartpole *)self, (double)action[0], obs, reward, end);
    return VDI_OK;
}

/* Left, nothing, right. */
VDI__FN vdi_status vdi__cartpole_choose(void *self, const float *action, float *obs, float *reward,
                                        int *end, vdi_error *err) {
    (void)err;
    vdi__cartpole_advance((vdi__cartpole *)self, (double)vdi_env_choice(3, action) - 1, obs, reward,
                          end);
    return VDI_OK;
}

static const char *const vdi__cartpole_observation[] = {"place (2.4 m)", "speed (2 m/s)",
                                                        "angle (12 degrees)", "spin (2 rad/s)"};
static const char *const vdi__cartpole_action[] = {"push (10 N)"};
static const char *const vdi__cartpole_choices[] = {"left", "nothing", "right"};
static const char *const vdi__cartpole_component[] = {"upright", "centre", "effort"};

static const vdi_env_entry vdi__env_cartpole = {
    {"cartpole", 4, 1, 3, VDI__CARTPOLE_LIMIT, vdi__cartpole_observation, vdi__cartpole_action,
     vdi__cartpole_component, vdi__cartpole_reset, vdi__cartpole_step, vdi__env_free, NULL, false,
     true},
    sizeof(vdi__cartpole),
    "balance a pole on a cart, near the centre and with little effort"};
static const vdi_env_entry vdi__env_cartpole_discrete = {
    {"cartpole-discrete", 4, 3, 3, VDI__CARTPOLE_LIMIT, vdi__cartpole_observation,
     vdi__cartpole_choices, vdi__cartpole_component, vdi__cartpole_reset, vdi__cartpole_choose,
     vdi__env_free, NULL, true, true},
    sizeof(vdi__cartpole),
    "the same, by one of three choices: left, nothing, right"};
#endif
