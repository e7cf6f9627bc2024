/* examples/sacd.c - an agent learns to swing up a pendulum, and says which part of the reward
 * drives it
 *
 *     cc -O2 -I. examples/sacd.c -o sacd -lm -lpthread && ./sacd
 *
 * The pendulum pays for three things: angle, speed, torque. The agent learns a value for each of
 * them, and for the entropy of its own choices; their sum is what it acts on. That costs nothing
 * over learning the sum, and afterwards one can ask.
 */
#define VDI_SACD_IMPLEMENTATION
#include "vdi.h"

#include <stdio.h>

static int fail(const vdi_error *err) {
    fprintf(stderr, "%s: %s\n", err->where, err->message);
    return 1;
}

int main(void) {
    vdi_error err;
    vdi_env env;
    if (vdi_env_open("pendulum", NULL, &env, &err) < 0) return fail(&err);

    vdi_sacd_desc desc = vdi_sacd_desc_defaults();
    desc.observations = env.observations;
    desc.actions = env.actions;
    desc.components = env.components;
    desc.hidden[0] = desc.hidden[1] = 64;
    desc.batch = 100;
    desc.start = 100;
    desc.rate = 1e-3;
    desc.capacity = 10000;
    desc.seed = 1;
    vdi_sacd *agent;
    if (vdi_sacd_create(&desc, &agent, &err) < 0) return fail(&err);

    /* learn: one step of the pendulum, one update */
    vdi_sacd_episode episode = VDI__ZERO;
    puts("episode   return    angle    speed   torque");
    for (int step = 1; step <= 10000; step++) {
        if (vdi_sacd_step(agent, &env, &episode, NULL, &err) < 0) return fail(&err);
        if (episode.end && episode.index % 7 == 0) {
            printf("%7d %8.1f %8.1f %8.1f %8.2f\n", (int)episode.index,
                   episode.sum[0] + episode.sum[1] + episode.sum[2], episode.sum[0], episode.sum[1],
                   episode.sum[2]);
        }
    }

    /* judge: twenty episodes that it has not seen, without exploring */
    double mean = 0, sums[VDI_ENV_MAX_COMPONENTS];
    for (int k = 0; k < 20; k++) {
        if (vdi_sacd_play(agent, &env, 1000001, (uint64_t)k, sums, NULL, &err) < 0)
            return fail(&err);
        mean += (sums[0] + sums[1] + sums[2]) / 20;
    }
    printf("\nmean return of 20 new episodes: %.1f\n", mean);

    /* ask: what pulls at the action along one episode, and does each value come true? */
    vdi_sacd_trace *trace;
    vdi_value_check check = VDI__ZERO;
    if (vdi_sacd_trace_create(agent, env.limit, NULL, &trace, &err) < 0) return fail(&err);
    for (int k = 0; k < 20; k++) {
        if (vdi_sacd_trace_play(trace, agent, &env, 2000001, (uint64_t)k, false, &err) < 0)
            return fail(&err);
        vdi_value_check_add(&check, trace);
    }
    puts("\ncomponent  influence: first step,  last   value: bias    RMSE   slope");
    for (int64_t i = 0; i < trace->heads; i++) {
        const int64_t moment[2] = {0, trace->steps - 1};
        double share[2];
        for (int m = 0; m < 2; m++) {
            const double *at = trace->influence + moment[m] * trace->heads;
            share[m] = at[i] / vdi_sum(VDI_F64, (size_t)trace->heads, at);
        }
        vdi_value_error e = vdi_value_check_head(&check, i);
        printf("%-9s %17.0f %% %6.0f %% %15.2f %7.2f %7.2f\n",
               i < env.components ? env.component[i] : "entropy", 100 * share[0], 100 * share[1],
               e.bias, e.rmse, e.slope);
    }

    /* wonder: what would it do here if speed cost nothing? Nothing is learned anew. */
    enum { CANDIDATES = 64 };
    float action[CANDIDATES];
    double q0[CANDIDATES * 4], q1[CANDIDATES * 4], weights[4] = {1, 1, 1, 1};
    vdi_rng rng = vdi_rng_make(7, 0);
    const float *obs = trace->obs;
    vdi_sacd_candidates(agent, obs, &rng, CANDIDATES, action);
    vdi_sacd_action_values(agent, obs, CANDIDATES, action, q0, q1);
    int64_t before = vdi_what_if(CANDIDATES, trace->heads, weights, q0, q1, NULL);
    weights[1] = 0;
    int64_t after = vdi_what_if(CANDIDATES, trace->heads, weights, q0, q1, NULL);
    printf("\nat the start of the last episode the best torque is %.2f N m; if speed cost nothing, "
           "%.2f N m\n",
           2 * (double)action[before], 2 * (double)action[after]);

    vdi_sacd_trace_destroy(trace);
    vdi_sacd_destroy(agent);
    vdi_env_close(&env);
    return 0;
}
