/* examples/td3d.c - the decomposed critic in another algorithm: TD3 with a value per component
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/td3d.c -o td3d -lm -pthread && ./td3d
 *
 * vdi_critic does not know SAC. TD3 (Fujimoto et al. 2018) asks three things of it: the smaller
 * target twin at a' = policy(s') + clipped noise, a fit to y = r + gamma Q, and, every other step,
 * the gradient of the first twin with respect to the action. The policy lives on the tape. Longer
 * than the other examples, because it is a whole algorithm.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBS = 3, ACT = 1, M = 3, BATCH = 100, EPISODES = 50, START = 500 };
static const double discount = 0.99, tau = 0.005, exploration = 0.2, smoothing = 0.2, cut = 0.5;
static const vdi_mlp_desc shape = {.name = "policy",
                                   .layers = 3,
                                   .sizes = {OBS, 64, 64, ACT},
                                   .act = VDI_ACT_RELU,
                                   .out_act = VDI_ACT_TANH};

/* These live as long as the program. */
static vdi_env env;
static vdi_critic *critic;
static vdi_replay *replay;
static vdi_params *policy, *target; /* the target follows the policy slowly */
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
    vdi_critic_desc c = {.observations = OBS,
                         .actions = ACT,
                         .heads = M,
                         .hidden = {64, 64},
                         .batch = BATCH,
                         .rate = 1e-3,
                         .tau = tau,
                         .seed = 1};
    vdi_replay_desc r = {.capacity = 10000, .observations = OBS, .actions = ACT, .components = M};
    vdi_optim_desc o = {.rate = 1e-3};
    vdi_param_desc list[6];
    int64_t count = vdi_mlp_declare(&shape, list, 6);
    vdi_rng policy_rng = vdi_rng_make(1, 1), target_rng = policy_rng; /* equal first weights */
    rng = vdi_rng_make(1, 0);
    need(vdi_env_open("pendulum", NULL, &env, &err));
    need(vdi_critic_create(&c, &critic, &err));
    need(vdi_replay_create(&r, &replay, &err));
    need(vdi_params_create(list, count, VDI_F32, NULL, &policy_rng, &policy, &err));
    need(vdi_params_create(list, count, VDI_F32, NULL, &target_rng, &target, &err));
    need(vdi_optim_create(&o, policy, NULL, &adam, &err));
    need(vdi_tape_create(NULL, &tape, &err));
}

static float clip(double x, double limit) { return (float)fmin(fmax(x, -limit), limit); }

/* action (n,ACT) = tanh of the network at obs (n,OBS), and its variable for a backward pass. */
static vdi_var act(const vdi_params *weights, int64_t n, float *obs, float *action) {
    vdi_tape_reset(tape);
    vdi_var x = vdi_tape_constant(tape, vdi_tensor_2d(obs, VDI_F32, n, OBS));
    vdi_var a = vdi_mlp_apply(tape, &shape, weights->item, x);
    need(vdi_tape_status(tape, &err));
    memcpy(action, vdi_tape_value(tape, a).data, (size_t)(n * ACT) * sizeof *action);
    return a;
}

/* One target vector per transition, all of it from the twin whose sum is smaller; s (BATCH,OBS). */
static void fit_critic(float *s) {
    static float a[BATCH * ACT], next[BATCH * OBS], next_action[BATCH * ACT], y[BATCH * M];
    vdi_transition r[BATCH];
    for (int b = 0; b < BATCH; b++) {
        uint64_t count = (uint64_t)vdi_replay_count(replay);
        r[b] = vdi_replay_get(replay, (int64_t)vdi_rng_below(&rng, count));
        memcpy(s + b * OBS, r[b].obs, OBS * sizeof *s);
        memcpy(a + b * ACT, r[b].action, ACT * sizeof *a);
        memcpy(next + b * OBS, r[b].next, OBS * sizeof *next);
    }
    act(target, BATCH, next, next_action);
    for (int k = 0; k < BATCH * ACT; k++) {
        float noise = clip(smoothing * vdi_rng_normal(&rng), cut);
        next_action[k] = clip(next_action[k] + noise, 1);
    }
    need(vdi_critic_best(critic, VDI_CRITIC_TARGET, VDI_CRITIC_COMPOSITE, BATCH, next, next_action,
                         NULL, y, NULL, NULL));
    for (int k = 0; k < BATCH * M; k++) {
        bool terminal = r[k / M].end & VDI_ENV_TERMINATED;
        y[k] = r[k / M].reward[k % M] + (terminal ? 0 : (float)discount * y[k]);
    }
    need(vdi_critic_fit(critic, BATCH, s, a, y, NULL, NULL, &err));
}

/* The policy climbs the sum of the first twin's components at s (BATCH,OBS). */
static void improve_policy(float *s) {
    static float a[BATCH * ACT], slope[BATCH * M * ACT], descent[BATCH * ACT];
    vdi_var action = act(policy, BATCH, s, a);
    /* slope (BATCH,M,ACT) */
    need(vdi_critic_action_grad(critic, VDI_CRITIC_FIRST, BATCH, s, a, slope));
    memset(descent, 0, sizeof descent);
    for (int b = 0; b < BATCH; b++) {
        for (int i = 0; i < M * ACT; i++)
            descent[b * ACT + i % ACT] -= slope[b * M * ACT + i] / BATCH;
    }
    vdi_params_zero_grad(policy);
    vdi_tape_backward_from(tape, action, vdi_tensor_2d(descent, VDI_F32, BATCH, ACT));
    need(vdi_tape_status(tape, &err));
    need(vdi_optim_step(adam, &err));
    need(vdi_params_mix(target, policy, 2 * tau, &err));
}

static void learn(void) {
    static float s[BATCH * OBS];
    int64_t step = vdi_replay_count(replay);
    if (step <= START) return;
    fit_critic(s);
    if (step % 2) improve_policy(s);
}

static void explore(float *action) {
    bool random = vdi_replay_count(replay) < START;
    for (int k = 0; k < ACT; k++) {
        if (random)
            action[k] = (float)(2 * vdi_rng_uniform(&rng) - 1);
        else
            action[k] = clip(action[k] + exploration * vdi_rng_normal(&rng), 1);
    }
}

/* One episode, and its return. */
static double play(uint64_t seed, uint64_t index, bool learning) {
    float obs[OBS], action[ACT], reward[M], next[OBS];
    double total = 0;
    need(vdi_env_reset(&env, seed, index, obs, &err));
    for (int end = 0; !end;) {
        act(policy, 1, obs, action);
        if (learning) explore(action);
        need(vdi_env_step(&env, action, next, reward, &end, &err));
        if (learning) need(vdi_replay_add(replay, obs, action, reward, next, end, &err));
        if (learning) learn();
        memcpy(obs, next, sizeof obs);
        total += vdi_sum(VDI_F32, M, reward);
    }
    return total;
}

int main(void) {
    double mean = 0;
    create();
    for (uint64_t k = 1; k <= EPISODES; k++) {
        double total = play(1, k - 1, true);
        if (k % 7 == 0) printf("episode %2d: return %8.1f\n", (int)k, total);
    }
    for (uint64_t k = 0; k < 20; k++)
        mean += play(1000001, k, false) / 20;
    printf("mean return of 20 new episodes: %.1f\n", mean);
    return 0;
}
