/* model/env/lander.h - one rigid body over flat ground, with LunarLander's engines and rewards
 *
 * Do this:
 *     vdi_env env;
 *     if (vdi_env_open("lander", NULL, &env, &err) < 0) puts(err.message);
 *     vdi_env_close(&env);
 *
 * Observations, actions and the nine components of the reward are those of Gymnasium's LunarLander
 * (continuous); the body is not, so results on it are not results on LunarLander. Lengths in its
 * units (30 of its pixels), 50 steps a second, each of four semi-implicit Euler steps.
 *   legs       two springs with dampers and friction at (-0.8,-0.6) and (0.8,-0.6) from the hull's
 *              centre: a foot below the ground pushes back with 1500 depth - 40 speed and rubs with
 *              100 speed, at most half of the push
 *   touchdown  a foot that comes down faster than 2.5 units/s, a corner of the hull in the ground,
 *              |x| >= 10 are a failure; half a second on both feet without motion is success
 *   engines    main fires for a_0 > 0 with power p = (1 + a_0)/2, impulse 13 p times a lever
 *              of 4/30 with noise U(-1,1)/30 in both directions; side for |a_1| > 1/2, impulse 0.6
 *              |a_1|
 *   start      10 units above the ground, pushed by U(-1000,1000)^2 for one step; 1000 steps
 *   reward     differences, after less before, of -100 |(o0,o1)| (position), -100 |(o2,o3)|
 *              (velocity), -100 |o4| (angle), 10 o6 and 10 o7 (legs); -0.30 p and -0.03 |a_1|
 *              (engines); at the end, instead of all these, failure -100 or success +100
 * Memory, errors, threads: as model/env/builtin.h.
 */
#ifndef VDI_MODEL_ENV_LANDER_H
#define VDI_MODEL_ENV_LANDER_H
#include "kind.h"

#endif /* VDI_MODEL_ENV_LANDER_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_LANDER_C)
#define VDI_MODEL_ENV_LANDER_C

#define VDI__LANDER_MASS 4.96
#define VDI__LANDER_INERTIA 0.95

enum {
    VDI__LANDER_LIMIT = 1000,
    VDI__LANDER_RATE = 50, /* steps in a second */
    VDI__LANDER_SUBSTEPS = 4,
    VDI__LANDER_REST = 25, /* steps that it has to lie still */
    VDI__LANDER_POTENTIALS = 5
};

/* The components of the reward: differences of potentials first. */
enum {
    VDI__LANDER_POSITION,
    VDI__LANDER_VELOCITY,
    VDI__LANDER_ANGLE,
    VDI__LANDER_LEFT,
    VDI__LANDER_RIGHT,
    VDI__LANDER_MAIN,
    VDI__LANDER_SIDE,
    VDI__LANDER_FAILURE,
    VDI__LANDER_SUCCESS
};

typedef struct vdi__lander {
    vdi__env_head head;
    double x, y, angle, vx, vy, spin; /* of the hull: units, rad, per second; x = 0 is the middle */
    bool foot[2], failed;             /* left, right: on the ground */
    int rest;                         /* steps that it has been still */
    double potential[VDI__LANDER_POTENTIALS]; /* of the state now */
} vdi__lander;

/* Observation and potentials. */
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
    s->potential[VDI__LANDER_POSITION] = -100 * sqrt(o[0] * o[0] + o[1] * o[1]);
    s->potential[VDI__LANDER_VELOCITY] = -100 * sqrt(o[2] * o[2] + o[3] * o[3]);
    s->potential[VDI__LANDER_ANGLE] = -100 * fabs(o[4]);
    s->potential[VDI__LANDER_LEFT] = 10 * o[6];
    s->potential[VDI__LANDER_RIGHT] = 10 * o[7];
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
    s->vx = vdi__env_uniform(&rng, -1000, 1000) / ((double)VDI__LANDER_RATE * VDI__LANDER_MASS);
    s->vy = vdi__env_uniform(&rng, -1000, 1000) / ((double)VDI__LANDER_RATE * VDI__LANDER_MASS);
    s->foot[0] = s->foot[1] = s->failed = false;
    s->rest = 0;
    s->head.steps = 0;
    s->head.rng = rng;
    vdi__lander_look(s, obs);
    return VDI_OK;
}

/* An impulse (jx,jy) at a place (rx,ry) relative to the centre. */
VDI__FN void vdi__lander_kick(vdi__lander *s, double rx, double ry, double jx, double jy) {
    s->vx += jx / VDI__LANDER_MASS;
    s->vy += jy / VDI__LANDER_MASS;
    s->spin += (rx * jy - ry * jx) / VDI__LANDER_INERTIA;
}

/* What the ground does to both feet, which see the same motion. */
VDI__FN void vdi__lander_stand(vdi__lander *s, double cosine, double sine, double dt) {
    const double vx = s->vx, vy = s->vy, spin = s->spin;
    for (int i = 0; i < 2; i++) {
        const double bx = i ? 0.8 : -0.8, by = -0.6;
        const double rx = cosine * bx - sine * by, ry = sine * bx + cosine * by;
        const double depth = -(s->y + ry);
        const bool stood = s->foot[i];
        s->foot[i] = depth > 0;
        if (!s->foot[i]) continue;
        const double down = vy + spin * rx, along = vx - spin * ry;
        if (!stood && down < -2.5) s->failed = true;
        const double force = 1500 * depth - 40 * down;
        if (force <= 0) continue;
        const double friction = vdi__env_clamp(100 * along, -0.5 * force, 0.5 * force);
        vdi__lander_kick(s, rx, ry, -friction * dt, force * dt);
    }
}

VDI__FN void vdi__lander_move(vdi__lander *s, double dt) {
    static const double corner[6][2] = {{-14, 17}, {-17, 0}, {-17, -10}, /* pixels */
                                        {17, -10}, {17, 0},  {14, 17}};
    const double cosine = cos(s->angle), sine = sin(s->angle);
    vdi__lander_kick(s, 0, 0, 0, -10 * VDI__LANDER_MASS * dt);
    vdi__lander_stand(s, cosine, sine, dt);
    s->x += s->vx * dt;
    s->y += s->vy * dt;
    s->angle += s->spin * dt;
    for (int i = 0; i < 6; i++) {
        const double height = (sin(s->angle) * corner[i][0] + cos(s->angle) * corner[i][1]) / 30;
        if (s->y + height < 0) s->failed = true;
    }
}

/* Both engines, from their powers; (-tx, ty) is upwards from the hull's own point of view. */
VDI__FN void vdi__lander_fire(vdi__lander *s, double main_power, double side_power, bool to_left) {
    const double d0 = vdi__env_uniform(&s->head.rng, -1, 1) / 30;
    const double d1 = vdi__env_uniform(&s->head.rng, -1, 1) / 30;
    const double tx = sin(s->angle), ty = cos(s->angle);
    if (main_power > 0) {
        const double along = 4.0 / 30 + 2 * d0;
        const double rx = tx * along - ty * d1, ry = -ty * along - tx * d1;
        vdi__lander_kick(s, rx, ry, -13 * main_power * rx, -13 * main_power * ry);
    }
    if (side_power > 0) {
        const double across = 3 * d1 + (to_left ? 12.0 : -12.0) / 30;
        const double px = tx * d0 - ty * across, py = -ty * d0 - tx * across;
        vdi__lander_kick(s, px - tx * 14 / 30, py + ty * 14 / 30, -0.6 * side_power * px,
                         -0.6 * side_power * py);
    }
}

/* Is it over? As in LunarLander, the end replaces the reward. */
VDI__FN int vdi__lander_end(vdi__lander *s, float *reward) {
    const double motion = fabs(s->vx) + fabs(s->vy) + fabs(s->spin);
    const bool still = s->foot[0] && s->foot[1] && motion < 0.05;
    s->rest = still ? s->rest + 1 : 0;
    if (fabs(s->x) >= 10) s->failed = true;
    s->head.steps++;
    if (!s->failed && s->rest < VDI__LANDER_REST) {
        return s->head.steps >= VDI__LANDER_LIMIT ? VDI_ENV_TRUNCATED : 0;
    }
    for (int i = 0; i < VDI__LANDER_FAILURE; i++)
        reward[i] = 0;
    reward[VDI__LANDER_FAILURE] = s->failed ? -100.0f : 0;
    reward[VDI__LANDER_SUCCESS] = s->failed ? 0 : 100.0f;
    return VDI_ENV_TERMINATED;
}

VDI__FN vdi_status vdi__lander_step(void *self, const float *action, float *obs, float *reward,
                                    int *end, vdi_error *err) {
    vdi__lander *s = (vdi__lander *)self;
    double before[VDI__LANDER_POTENTIALS];
    const double main_power = action[0] > 0 ? 0.5 + 0.5 * (double)action[0] : 0;
    double side_power = fabs((double)action[1]);
    (void)err;
    if (side_power <= 0.5) side_power = 0;
    memcpy(before, s->potential, sizeof before);
    vdi__lander_fire(s, main_power, side_power, action[1] > 0);
    for (int i = 0; i < VDI__LANDER_SUBSTEPS; i++) {
        vdi__lander_move(s, 1.0 / (VDI__LANDER_RATE * VDI__LANDER_SUBSTEPS));
    }
    vdi__lander_look(s, obs);
    for (int i = 0; i < VDI__LANDER_POTENTIALS; i++)
        reward[i] = (float)(s->potential[i] - before[i]);
    reward[VDI__LANDER_MAIN] = (float)(-0.30 * main_power);
    reward[VDI__LANDER_SIDE] = (float)(-0.03 * side_power);
    reward[VDI__LANDER_FAILURE] = reward[VDI__LANDER_SUCCESS] = 0;
    *end = vdi__lander_end(s, reward);
    return VDI_OK;
}

static const char *const vdi__lander_observation[] = {"x",     "y",    "vx",       "vy",
                                                      "angle", "spin", "left_leg", "right_leg"};
static const char *const vdi__lander_action[] = {"main_engine", "side_engine"};
static const char *const vdi__lander_component[] = {"position",    "velocity",  "angle",
                                                    "left_leg",    "right_leg", "main_engine",
                                                    "side_engine", "failure",   "success"};

static const vdi_env_entry vdi__env_lander = {
    {"lander", 8, 2, 9, VDI__LANDER_LIMIT, vdi__lander_observation, vdi__lander_action,
     vdi__lander_component, vdi__lander_reset, vdi__lander_step, vdi__env_free, NULL, false, true},
    sizeof(vdi__lander),
    "land a rocket on two legs (LunarLander's rewards, a simpler body)"};
#endif
