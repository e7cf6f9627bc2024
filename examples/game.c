/* examples/game.c - a game that owns its loop: it asks for actions, and tells what came of them
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/game.c -o game -lm -pthread && ./game
 *
 * A paddle in one dimension follows a light. The game decides when a step is, when an episode ends
 * and when there is time to learn; there is no environment. A round that the clock ends is a
 * time-out: the light would have moved on, so values go on (VDI_ENV_TRUNCATED). A round that the
 * player loses is an end (VDI_ENV_TERMINATED). Afterwards the agent is saved, and its policy is
 * written as C for the game's release, which needs vdi no longer.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { OBS = 3, ACTIONS = 1, PARTS = 2, ROUND = 60, STEPS = 4000 };

typedef struct game {
    double paddle, light, drift; /* places in [-1,1]; the light's step */
    int tick;
    vdi_rng rng;
} game;

static vdi_error err;
static void need(vdi_status status) {
    if (status >= 0) return;
    printf("%s: %s\n", err.where, err.message);
    exit(1);
}

static void game_begin(game *g) {
    g->paddle = 0;
    g->light = vdi_rng_uniform(&g->rng) - 0.5;
    g->drift = 0.04 * (vdi_rng_uniform(&g->rng) - 0.5);
    g->tick = 0;
}

static void game_look(const game *g, float *obs) {
    obs[0] = (float)g->paddle;
    obs[1] = (float)g->light;
    obs[2] = (float)(20 * g->drift);
}

/* One tick; what it pays for: nearness, and calm hands. Returns why the round is over, or 0. */
static int game_tick(game *g, float push, float *reward) {
    g->paddle += 0.1 * (double)push;
    g->light += g->drift;
    if (fabs(g->light) > 0.9) g->drift = -g->drift;
    const double gap = fabs(g->paddle - g->light);
    const int lost = gap > 1;
    reward[0] = (float)(lost ? -10 : 1 - 2 * gap);
    reward[1] = -0.1f * push * push;
    g->tick++;
    return lost ? VDI_ENV_TERMINATED : g->tick == ROUND ? VDI_ENV_TRUNCATED : 0;
}

/* The mean of both parts over rounds that are played without exploring. */
static void judge(vdi_sacd *agent, double *mean) {
    enum { ROUNDS = 20 };
    game g = {.rng = vdi_rng_make(9, 9)};
    float obs[OBS], action[ACTIONS], reward[PARTS];
    mean[0] = mean[1] = 0;
    for (int k = 0; k < ROUNDS; k++) {
        int end = 0;
        for (game_begin(&g); !end;) {
            game_look(&g, obs);
            need(vdi_sacd_act(agent, obs, true, action));
            end = game_tick(&g, action[0], reward);
            mean[0] += (double)reward[0] / ROUNDS;
            mean[1] += (double)reward[1] / ROUNDS;
        }
    }
}

int main(void) {
    vdi_sacd_desc desc = {.observations = OBS,
                          .actions = ACTIONS,
                          .components = PARTS,
                          .hidden = {32, 32},
                          .layers = 2,
                          .batch = 64,
                          .start = 200,
                          .rate = 1e-3,
                          .capacity = STEPS};
    vdi_sacd *agent, *again;
    vdi_policy *policy;
    game g = {.rng = vdi_rng_make(1, 0)};
    float before[OBS], after[OBS], action[ACTIONS], reward[PARTS];
    double mean[PARTS];
    need(vdi_sacd_create(&desc, &agent, &err));
    judge(agent, mean);
    printf("before: nearness %6.1f, calm %5.2f in a round\n", mean[0], mean[1]);
    game_begin(&g);
    game_look(&g, before);
    for (int step = 0; step < STEPS; step++) {
        need(vdi_sacd_explore(agent, before, action)); /* what to do, while learning */
        const int end = game_tick(&g, action[0], reward);
        game_look(&g, after); /* also where the round is over: before it begins anew */
        need(vdi_sacd_observe(agent, before, action, reward, after, end, &err));
        if (vdi_sacd_due(agent)) need(vdi_sacd_update(agent, NULL, &err));
        if (end) game_begin(&g);
        game_look(&g, before);
    }
    judge(agent, mean);
    printf("after:  nearness %6.1f, calm %5.2f\n", mean[0], mean[1]);
    need(vdi_sacd_save(agent, "game.safetensors", &err));
    need(vdi_sacd_load("game.safetensors", NULL, NULL, &again, &err)); /* goes on to the bit */
    need(vdi_policy_create(vdi_sacd_state(again, false), NULL, &policy, &err));
    need(vdi_policy_save_c("player.h", policy, "player", &err));
    printf("saved after %d steps; player.h has the policy as C\n", (int)vdi_sacd_steps(again));
    remove("game.safetensors");
    remove("player.h");
    vdi_policy_destroy(policy);
    vdi_sacd_destroy(again);
    vdi_sacd_destroy(agent);
    return 0;
}
