/* examples/td3d.c - the decomposed critic in another algorithm: TD3 with a value per component
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/td3d.c -o td3d -lm -pthread && ./td3d
 *
 * TD3 (Fujimoto et al. 2018) asks vdi_critic for the smaller target twin at policy(s') + clipped
 * noise, a fit to y = r + gamma Q, and, every other step, the first twin's gradient by the action.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBS = 3, M = 3, BATCH = 100, EPISODES = 50, START = 500 }; /* and one action */
static const float discount = 0.99f, exploration = 0.2f, smoothing = 0.2f, cut = 0.5f;
static const vdi_mlp_desc shape = {.layers = 3, .sizes = {OBS, 64, 64, 1}, .act = VDI_ACT_RELU};

static vdi_env env;
static vdi_critic *critic;
static vdi_replay *replay;
static vdi_params *policy, *target; /* of a network on the tape; the target follows slowly */
static vdi_optim *adam;             /* of the policy */
static vdi_tape *tape;
static vdi_rng rng;
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    printf("%s: %s\n", err.where, err.message);
    exit(1);
}

static void create(void) {
    vdi_critic_desc c = {.observations = OBS, .actions = 1, .heads = M, .hidden = {64, 64}};
    vdi_replay_desc r = {.capacity = 10000, .observations = OBS, .actions = 1, .components = M};
    vdi_param_desc list[6];
    int64_t count = vdi_mlp_declare(&shape, list, 6);
    vdi_rng policy_rng = vdi_rng_make(1, 1), target_rng = policy_rng; /* equal first weights */
    rng = vdi_rng_make(1, 0);
    c.rate = 1e-3;
    need(vdi_env_open("pendulum", NULL, &env, &err));
    need(vdi_critic_create(&c, &critic, &err));
    need(vdi_replay_create(&r, &replay, &err));
    need(vdi_params_create(list, count, VDI_F32, NULL, &policy_rng, &policy, &err));
    need(vdi_params_create(list, count, VDI_F32, NULL, &target_rng, &target, &err));
    need(vdi_optim_create(NULL, policy, NULL, &adam, &err));
    need(vdi_tape_create(NULL, &tape, &err));
}

static float clip(double x, double limit) { return (float)fmin(fmax(x, -limit), limit); }

/* action (n,1) = tanh of the network at obs (n,OBS), and its variable for a backward pass. */
static vdi_var act(const vdi_params *weights, int64_t n, float *obs, float *action) {
    vdi_tape_reset(tape);
    vdi_var x = vdi_tape_constant(tape, vdi_tensor_2d(obs, VDI_F32, n, OBS));
    vdi_var a = vdi_var_tanh(tape, vdi_mlp_apply(tape, &shape, weights->item, x));
    need(vdi_tape_status(tape, &err));
    memcpy(action, vdi_tape_value(tape, a).data, (size_t)n * sizeof *action);
    return a;
}

/* The policy climbs the sum of the first twin's components at s (BATCH,OBS). */
static void improve_policy(float *s) {
    static float a[BATCH], slope[BATCH * M], descent[BATCH]; /* slope: of each component */
    vdi_var action = act(policy, BATCH, s, a);
    need(vdi_critic_action_grad(critic, VDI_CRITIC_FIRST, BATCH, s, a, slope));
    for (int b = 0; b < BATCH; b++)
        descent[b] = -(float)vdi_sum(VDI_F32, M, slope + b * M) / BATCH;
    vdi_params_zero_grad(policy);
    need(vdi_tape_backward_from(tape, action, vdi_tensor_2d(descent, VDI_F32, BATCH, 1)));
    need(vdi_optim_step(adam, &err));
    need(vdi_params_mix(target, policy, 0.01, &err)); /* twice the critic's share, half as often */
}

/* One target vector per transition, all of it from the twin whose sum is smaller. */
static void learn(int64_t count) {
    static float s[BATCH * OBS], a[BATCH], next[BATCH * OBS], next_action[BATCH], y[BATCH * M];
    vdi_transition r[BATCH];
    for (int b = 0; b < BATCH; b++) {
        r[b] = vdi_replay_get(replay, (int64_t)vdi_rng_below(&rng, (uint64_t)count));
        memcpy(s + b * OBS, r[b].obs, OBS * sizeof *s);
        memcpy(next + b * OBS, r[b].next, OBS * sizeof *next);
        a[b] = *r[b].action;
    }
    act(target, BATCH, next, next_action);
    for (int b = 0; b < BATCH; b++)
        next_action[b] = clip(next_action[b] + clip(smoothing * vdi_rng_normal(&rng), cut), 1);
    need(vdi_critic_best(critic, VDI_CRITIC_TARGET, VDI_CRITIC_COMPOSITE, BATCH, next, next_action,
                         NULL, y, NULL, NULL));
    for (int k = 0; k < BATCH * M; k++)
        y[k] = r[k / M].reward[k % M] + (r[k / M].end & VDI_ENV_TERMINATED ? 0 : discount * y[k]);
    need(vdi_critic_fit(critic, BATCH, s, a, y, NULL, NULL, &err));
    if (count % 2) improve_policy(s);
}

/* One episode of learning, and its return; the first START actions are random. */
static double play(uint64_t index) {
    float obs[OBS], action, reward[M], next[OBS];
    double total = 0;
    need(vdi_env_reset(&env, 1, index, obs, &err));
    for (int end = 0; !end;) {
        act(policy, 1, obs, &action);
        action = clip(action + exploration * vdi_rng_normal(&rng), 1);
        if (vdi_replay_count(replay) < START) action = (float)(2 * vdi_rng_uniform(&rng) - 1);
        need(vdi_env_step(&env, &action, next, reward, &end, &err));
        need(vdi_replay_add(replay, obs, &action, reward, next, end, &err));
        if (vdi_replay_count(replay) > START) learn(vdi_replay_count(replay));
        memcpy(obs, next, sizeof obs);
        total += vdi_sum(VDI_F32, M, reward);
    }
    return total;
}

int main(void) {
    create();
    for (uint64_t k = 0; k < EPISODES; k++)
        printf("episode %2d: return %8.1f\n", (int)k + 1, play(k));
    return 0;
}
