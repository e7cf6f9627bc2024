/* examples/td3d.c - the decomposed critic in another algorithm: TD3 (Fujimoto et al. 2018) with a
 * value for each reward component
 *
 *     cc -O2 -I. examples/td3d.c -o td3d -lm -lpthread && ./td3d
 *
 * vdi_critic does not know SAC. TD3 needs of it: the smaller target twin at a' = tanh(mu'(s')) +
 * clipped noise, a fit to y = r + gamma Q, and, every other step, the gradient of the first twin
 * with respect to the action. The policy lives on the tape.
 */
#define VDI_SACD_IMPLEMENTATION
#include "vdi.h"

#include <stdio.h>

enum { BATCH = 100, STEPS = 10000, START = 500, OBS = 3, ACT = 1, M = 3 };
static const double gamma_ = 0.99;
static const double tau = 0.005;
static const double explore = 0.2;
static const double smooth = 0.2;
static const double clip = 0.5;

static int fail(const vdi_error *err) {
    fprintf(stderr, "%s: %s\n", err->where, err->message);
    return 1;
}

static const vdi_mlp_desc *policy_desc(void) {
    static vdi_mlp_desc d;
    d.name = "policy";
    d.layers = 3;
    d.act = VDI_ACT_RELU;
    d.out_act = VDI_ACT_TANH;
    d.sizes[0] = OBS;
    d.sizes[1] = d.sizes[2] = 64;
    d.sizes[3] = ACT;
    return &d;
}

/* tanh(mu(obs)) (n,ACT) on the tape, copied out; the node itself is returned for a backward
 * pass. */
static vdi_var policy(vdi_tape *t, const vdi_params *p, int64_t n, float *obs, float *action) {
    vdi_tape_reset(t);
    vdi_var x = vdi_tape_constant(t, vdi_tensor_2d(obs, VDI_F32, n, OBS));
    vdi_var a = vdi_mlp_apply(t, policy_desc(), p->item, x);
    vdi_tensor v = vdi_tape_value(t, a);
    if (vdi_tensor_ok(v)) memcpy(action, v.data, (size_t)(n * ACT) * sizeof *action);
    return a;
}

static float clipped(double x, double limit) {
    return (float)(x > limit ? limit : x < -limit ? -limit : x);
}

int main(void) {
    vdi_error err;
    vdi_env env;
    vdi_critic *critic;
    vdi_replay *replay;
    vdi_params *actor, *target;
    vdi_optim *adam;
    vdi_tape *tape;
    vdi_rng rng = vdi_rng_make(1, 0), same = vdi_rng_make(1, 1), weights = same;

    if (vdi_env_open("pendulum", NULL, &env, &err) < 0) return fail(&err);
    vdi_critic_desc cd = vdi_critic_desc_defaults();
    cd.observations = OBS;
    cd.actions = ACT;
    cd.heads = M;
    cd.batch = BATCH;
    cd.rate = 1e-3;
    cd.tau = tau;
    cd.seed = 1;
    cd.hidden[0] = cd.hidden[1] = 64;
    vdi_replay_desc rd = VDI__ZERO;
    rd.capacity = STEPS;
    rd.observations = OBS;
    rd.actions = ACT;
    rd.components = M;
    vdi_optim_desc od = vdi_optim_desc_defaults();
    od.rate = 1e-3;
    vdi_param_desc list[8];
    int64_t count = vdi_mlp_declare(policy_desc(), list, 8);
    if (vdi_critic_create(&cd, &critic, &err) < 0 || vdi_replay_create(&rd, &replay, &err) < 0 ||
        vdi_tape_create(NULL, &tape, &err) < 0 ||
        vdi_params_create(list, count, VDI_F32, NULL, &weights, &actor, &err) < 0 ||
        vdi_params_create(list, count, VDI_F32, NULL, &same, &target, &err) < 0 ||
        vdi_optim_create(&od, actor, NULL, &adam, &err) < 0)
        return fail(&err);

    float obs[OBS], next[OBS], action[ACT], reward[M];
    float s[BATCH * OBS], a[BATCH * ACT], s2[BATCH * OBS], a2[BATCH * ACT], y[BATCH * M],
        slope[BATCH * M * ACT], climb[BATCH * ACT];
    double total = 0;
    int end = VDI_ENV_TRUNCATED, episode = 0;
    for (int step = 0; step < STEPS; step++) {
        if (end && vdi_env_reset(&env, 1, (uint64_t)episode++, obs, &err) < 0) return fail(&err);
        (void)policy(tape, actor, 1, obs, action);
        for (int k = 0; k < ACT; k++) {
            action[k] = step < START
                            ? (float)(2 * vdi_rng_uniform(&rng) - 1)
                            : clipped((double)action[k] + explore * vdi_rng_normal(&rng), 1);
        }
        if (vdi_env_step(&env, action, next, reward, &end, &err) < 0) return fail(&err);
        if (vdi_replay_add(replay, obs, action, reward, next, end, &err) < 0) return fail(&err);
        memcpy(obs, next, sizeof obs);
        for (int i = 0; i < M; i++)
            total += (double)reward[i];
        if (end && episode % 7 == 0) printf("episode %2d: return %8.1f\n", episode, total);
        if (end) total = 0;
        if (step < START) continue;

        /* the critic: one target vector for a transition, all of it from the twin whose sum is
         * smaller */
        vdi_transition r[BATCH];
        for (int b = 0; b < BATCH; b++) {
            r[b] = vdi_replay_get(replay,
                                  (int64_t)vdi_rng_below(&rng, (uint64_t)vdi_replay_count(replay)));
            memcpy(s + b * OBS, r[b].obs, sizeof obs);
            memcpy(a + b * ACT, r[b].action, sizeof action);
            memcpy(s2 + b * OBS, r[b].next, sizeof next);
        }
        (void)policy(tape, target, BATCH, s2, a2);
        for (int k = 0; k < BATCH * ACT; k++)
            a2[k] = clipped((double)(a2[k] + clipped(smooth * vdi_rng_normal(&rng), clip)), 1);
        vdi_critic_best(critic, VDI_CRITIC_TARGET, VDI_CRITIC_COMPOSITE, BATCH, s2, a2, NULL, y,
                        NULL, NULL);
        for (int k = 0; k < BATCH * M; k++) {
            y[k] = r[k / M].reward[k % M] +
                   (r[k / M].end & VDI_ENV_TERMINATED ? 0 : (float)gamma_ * y[k]);
        }
        if (vdi_critic_fit(critic, BATCH, s, a, y, NULL, &err) < 0) return fail(&err);

        /* the policy: up the sum of the first twin's components, half as often */
        if (step % 2) continue;
        vdi_var mu = policy(tape, actor, BATCH, s, a2);
        vdi_critic_action_grad(critic, VDI_CRITIC_FIRST, BATCH, s, a2, slope);
        for (int b = 0; b < BATCH; b++) {
            for (int k = 0; k < ACT; k++) {
                climb[b * ACT + k] = 0;
                for (int i = 0; i < M; i++)
                    climb[b * ACT + k] -= slope[(b * M + i) * ACT + k] / BATCH;
            }
        }
        vdi_params_zero_grad(actor);
        if (vdi_tape_backward_from(tape, mu, vdi_tensor_2d(climb, VDI_F32, BATCH, ACT)) < 0) {
            vdi_tape_status(tape, &err);
            return fail(&err);
        }
        if (vdi_optim_step(adam, &err) < 0 || vdi_params_mix(target, actor, 2 * tau, &err) < 0)
            return fail(&err);
    }

    double mean = 0;
    for (int k = 0; k < 20; k++) {
        if (vdi_env_reset(&env, 1000001, (uint64_t)k, obs, &err) < 0) return fail(&err);
        for (end = 0; !end;) {
            (void)policy(tape, actor, 1, obs, action);
            if (vdi_env_step(&env, action, obs, reward, &end, &err) < 0) return fail(&err);
            for (int i = 0; i < M; i++)
                mean += (double)reward[i] / 20;
        }
    }
    double influence[M];
    vdi_critic_influence(critic, 1, obs, action, NULL, influence);
    printf("mean return of 20 new episodes: %.1f; influence at the last state: %s %.2f, %s %.2f, "
           "%s %.2f\n",
           mean, env.component[0], influence[0], env.component[1], influence[1], env.component[2],
           influence[2]);

    vdi_optim_destroy(adam);
    vdi_params_destroy(target);
    vdi_params_destroy(actor);
    vdi_tape_destroy(tape);
    vdi_replay_destroy(replay);
    vdi_critic_destroy(critic);
    vdi_env_close(&env);
    return 0;
}
