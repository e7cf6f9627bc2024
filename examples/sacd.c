/* examples/sacd.c - an agent learns to swing up a pendulum, and says what drives it
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/sacd.c -o sacd -lm -pthread && ./sacd
 *
 * The pendulum pays for three things: angle, speed, torque. The agent learns a value for each of
 * them, and for the entropy of its own choices; it acts on their sum. Afterwards one can ask.
 * docs/guide/sacd.md explains the method and the questions.
 */
#include "vdi.h"
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 10000, EPISODES = 20, HEADS = 4, SPEED = 1, CANDIDATES = 64 };
static vdi_env env;
static vdi_sacd *agent;
static vdi_sacd_trace *trace; /* one episode with values, influence and returns */
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    printf("%s: %s\n", err.where, err.message);
    exit(1);
}

static void create(void) {
    need(vdi_env_open("pendulum", NULL, &env, &err));
    vdi_sacd_desc desc = {.observations = env.observations,
                          .actions = env.actions,
                          .components = env.components,
                          .hidden = {64, 64},
                          .batch = 100,
                          .start = 100,
                          .rate = 1e-3,
                          .capacity = STEPS,
                          .seed = 1};
    need(vdi_sacd_create(&desc, &agent, &err));
    need(vdi_sacd_trace_create(agent, env.limit, NULL, &trace, &err));
}

/* One step of the pendulum, one update. */
static void learn(void) {
    vdi_sacd_episode *e;
    need(vdi_sacd_episode_create(agent, NULL, &e, &err));
    puts("episode   return    angle    speed   torque");
    for (int step = 0; step < STEPS; step++) {
        need(vdi_sacd_step(agent, &env, e, NULL, &err));
        if (!e->end || e->index % 7) continue;
        const double *sum = e->sum;
        printf("%7d %8.1f", (int)e->index, sum[0] + sum[1] + sum[2]);
        printf(" %8.1f %8.1f %8.2f\n", sum[0], sum[1], sum[2]);
    }
    vdi_sacd_episode_destroy(e);
}

/* Episodes that it has not seen, without exploring. */
static void judge(void) {
    double mean = 0, sum[3];
    for (uint64_t k = 0; k < EPISODES; k++) {
        need(vdi_sacd_play(agent, &env, 1000001, k, sum, NULL, &err));
        mean += (sum[0] + sum[1] + sum[2]) / EPISODES;
    }
    printf("\nmean return of %d new episodes: %.1f\n", EPISODES, mean);
}

/* Share of component i in the influence on the action at a step of the trace. */
static double share(int64_t step, int64_t i) {
    const double *influence = trace->influence + step * HEADS;
    return 100 * influence[i] / vdi_sum(VDI_F64, HEADS, influence);
}

/* What pulls at the action along the last episode, and does each value come true? */
static void ask(void) {
    vdi_value_check check = {0};
    for (uint64_t k = 0; k < EPISODES; k++) {
        need(vdi_sacd_trace_play(trace, agent, &env, 2000001, k, false, &err));
        vdi_value_check_add(&check, trace);
    }
    puts("\ncomponent  influence: first step,  last   value: bias    RMSE   slope");
    for (int64_t i = 0; i < HEADS; i++) {
        vdi_value_error e = vdi_value_check_head(&check, i);
        printf("%-9s", i < env.components ? env.component[i] : "entropy");
        printf(" %17.0f %% %6.0f %%", share(0, i), share(trace->steps - 1, i));
        printf(" %15.2f %7.2f %7.2f\n", e.bias, e.rmse, e.slope);
    }
}

/* What would it do at the start of that episode if speed cost nothing? Nothing is learned anew. */
static void wonder(void) {
    float action[CANDIDATES];
    double q0[CANDIDATES * HEADS], q1[CANDIDATES * HEADS], weight[HEADS] = {1, 1, 1, 1};
    vdi_rng rng = vdi_rng_make(7, 0);
    need(vdi_sacd_candidates(agent, trace->obs, &rng, CANDIDATES, action));
    need(vdi_sacd_action_values(agent, trace->obs, CANDIDATES, action, q0, q1));
    double before = action[vdi_what_if(CANDIDATES, HEADS, weight, q0, q1, NULL)];
    weight[SPEED] = 0;
    double after = action[vdi_what_if(CANDIDATES, HEADS, weight, q0, q1, NULL)];
    printf("\nbest torque %.2f N m; if speed cost nothing, %.2f N m\n", 2 * before, 2 * after);
}

int main(void) {
    create();
    learn();
    judge();
    ask();
    wonder();
    vdi_sacd_trace_destroy(trace);
    vdi_sacd_destroy(agent);
    vdi_env_close(&env);
    return 0;
}
