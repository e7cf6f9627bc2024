/* bench/case_penalty.c - a penalty that keeps an agent from exploring, found and let in slowly
 *
 *     make build/bench/case_penalty QUESTIONS=case_penalty
 *     build/bench/case_penalty [picture.svg]
 *
 * A walker in a square wants to the other bank of a river, which has a ford in one place. Wading
 * costs more the farther from the ford, so an agent that has not found it learns to stay on its
 * bank. The influence of each component shows what holds it; a schedule of that component's weight
 * has it cross anywhere first, then where it is cheap. Its table is in docs/guide/sacd-cases.md.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 15000, SEEDS = 5, LOOK = 1500, EVERY = 300, LOOKS = STEPS / EVERY };
enum { EPISODES = 20, LIMIT = 40 };
enum { GOAL, RIVER, HEADS = 3 };
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    printf("%s: %s\n", err.where, err.message);
    exit(1);
}

/* ---- the environment: position in [-1,1]^2, a step of up to 0.15 along each axis ------------ */

typedef struct river {
    double x, y;
    int steps;
} river;

static double to_goal(const river *s) { return hypot(s->x - 0.75, s->y + 0.3); }

static vdi_status river_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                              vdi_error *error) {
    river *s = self;
    vdi_rng rng = vdi_env_rng(seed, episode);
    (void)error;
    s->steps = 0;
    s->x = -0.9 + 0.2 * vdi_rng_uniform(&rng);
    s->y = -0.8 + 1.6 * vdi_rng_uniform(&rng);
    obs[0] = (float)s->x;
    obs[1] = (float)s->y;
    return VDI_OK;
}

static vdi_status river_step(void *self, const float *action, float *obs, float *reward, int *end,
                             vdi_error *error) {
    river *s = self;
    const double before = to_goal(s);
    (void)error;
    s->x = fmin(1, fmax(-1, s->x + 0.15 * action[0]));
    s->y = fmin(1, fmax(-1, s->y + 0.15 * action[1]));
    s->steps++;
    const double off_ford = fmax(fabs(s->y - 0.55) - 0.15, 0);
    const bool arrived = to_goal(s) < 0.15, wading = fabs(s->x) < 0.25;
    reward[GOAL] = (float)(3 * (before - to_goal(s)) + (arrived ? 5 : 0));
    reward[RIVER] = wading ? (float)(-4 * fmin(off_ford / 0.5, 1)) : 0.0f;
    *end = arrived ? VDI_ENV_TERMINATED : s->steps == LIMIT ? VDI_ENV_TRUNCATED : 0;
    obs[0] = (float)s->x;
    obs[1] = (float)s->y;
    return VDI_OK;
}

/* ---- a run: train, watch the influence of each component, judge under the full weights ------ */

typedef struct result {
    double share[HEADS][LOOKS], weight[LOOKS]; /* over training */
    double sum;                                /* mean return of new episodes */
    int crossed, arrived;                      /* of EPISODES */
    double path[EPISODES][2][LIMIT];           /* x, y; NaN after the end */
} result;

/* 3 % of the pull for 3,000 steps, then in a straight line back to its own weight. */
static void let_in_slowly(vdi_sacd *agent, vdi_rng *rng, int64_t step) {
    double share[HEADS];
    need(vdi_sacd_mean_influence(agent, rng, 200, share, &err));
    double low = 0.03 / share[RIVER];
    need(vdi_sacd_schedule_weight(agent, RIVER, low, 1, step + 3000, 8000, &err));
}

static void watch(vdi_sacd *agent, vdi_rng *rng, int look, result *out) {
    double share[HEADS], weights[HEADS];
    need(vdi_sacd_mean_influence(agent, rng, 100, share, &err));
    vdi_sacd_weights(agent, weights);
    for (int i = 0; i < HEADS; i++)
        out->share[i][look] = share[i];
    out->weight[look] = weights[RIVER];
}

static void judge(vdi_sacd *agent, vdi_env *env, result *out) {
    vdi_sacd_trace *trace;
    need(vdi_sacd_trace_create(agent, LIMIT, NULL, &trace, &err));
    for (int k = 0; k < EPISODES; k++) {
        need(vdi_sacd_trace_play(trace, agent, env, 1000001, (uint64_t)k, true, &err));
        for (int t = 0; t < LIMIT; t++) {
            for (int i = 0; i < 2; i++) {
                bool over = t >= trace->steps;
                out->path[k][i][t] = over ? NAN : (double)trace->obs[2 * t + i];
                if (!over) out->sum += trace->reward[2 * t + i] / (double)EPISODES;
            }
        }
        out->crossed += trace->obs[2 * (trace->steps - 1)] > 0.25f;
        out->arrived += (trace->end & VDI_ENV_TERMINATED) != 0;
    }
    vdi_sacd_trace_destroy(trace);
}

static void run(uint64_t seed, bool slowly, result *out) {
    static const char *const component[] = {"goal", "river"};
    river self;
    vdi_env env = {.name = "river",
                   .observations = 2,
                   .actions = 2,
                   .components = 2,
                   .limit = LIMIT,
                   .component = component,
                   .reset = river_reset,
                   .step = river_step,
                   .self = &self};
    vdi_sacd_desc desc = {.observations = 2,
                          .actions = 2,
                          .components = 2,
                          .hidden = {32, 32},
                          .batch = 64,
                          .start = 1000,
                          .rate = 1e-3,
                          .critic_rate = 1e-3, /* the published form of the critics' loss */
                          .has_composite_weight = true,
                          .tau = 0.01,
                          .gamma = 0.97,
                          .log_alpha = -2,
                          .capacity = STEPS,
                          .seed = seed};
    vdi_sacd_episode *episode;
    vdi_rng rng = vdi_rng_make(seed, 1);
    vdi_sacd *agent;
    need(vdi_sacd_create(&desc, &agent, &err));
    need(vdi_sacd_episode_create(agent, NULL, &episode, &err));
    for (int step = 0; step < STEPS; step++) {
        need(vdi_sacd_step(agent, &env, episode, NULL, &err));
        if (slowly && step == LOOK) let_in_slowly(agent, &rng, step);
        if (step % EVERY == 0) watch(agent, &rng, step / EVERY, out);
    }
    judge(agent, &env, out);
    vdi_sacd_episode_destroy(episode);
    vdi_sacd_destroy(agent);
}

static void draw_paths(vdi_panel *p, result *r) {
    p->x.label = "x";
    p->y.label = "y";
    p->x.has_limits = p->y.has_limits = true;
    p->x.low = p->y.low = -1;
    p->x.high = p->y.high = 1;
    vdi_panel_rule(p, "banks", 'x', -0.25)->color = VDI_COLOR_GREY;
    vdi_panel_rule(p, NULL, 'x', 0.25)->color = VDI_COLOR_GREY;
    for (int k = 0; k < EPISODES; k++) {
        vdi_tensor y = vdi_tensor_1d(r->path[k][1], VDI_F64, LIMIT);
        vdi_series *s = vdi_panel_line(p, k ? NULL : "paths", y);
        s->x = vdi_tensor_1d(r->path[k][0], VDI_F64, LIMIT);
        s->color = VDI_COLOR_BLUE;
        s->opacity = 0.6;
    }
}

static void draw_shares(vdi_panel *p, result *r, bool slowly) {
    static const char *const name[] = {"goal", "river", "entropy"};
    p->x.label = "steps of training";
    p->y.label = "share of the influence";
    p->dx = EVERY;
    p->y.has_limits = true;
    p->y.high = 1;
    for (int i = 0; i < HEADS; i++)
        vdi_panel_line(p, name[i], vdi_tensor_1d(r->share[i], VDI_F64, LOOKS));
    if (!slowly) return;
    vdi_panel_line(p, "weight of river", vdi_tensor_1d(r->weight, VDI_F64, LOOKS))->dashed = true;
}

static void draw(const char *path, result *full, result *slow) {
    vdi_figure_desc desc = {.rows = 2, .cols = 2, .height = 230};
    vdi_figure f;
    vdi_figure_init(&f, &desc);
    vdi_figure_panel(&f, 0, 0)->title = "full weight from the start: new episodes";
    vdi_figure_panel(&f, 0, 1)->title = "river let in slowly: new episodes";
    draw_paths(vdi_figure_panel(&f, 0, 0), full);
    draw_paths(vdi_figure_panel(&f, 0, 1), slow);
    draw_shares(vdi_figure_panel(&f, 1, 0), full, false);
    draw_shares(vdi_figure_panel(&f, 1, 1), slow, true);
    need(vdi_svg_save(path, &f, &err));
    vdi_figure_free(&f);
}

int main(int argc, char **argv) {
    static result r[SEEDS][2];
    puts("       influence at step 1500      full weight from the start        let in slowly");
    puts("seed    goal   river  entropy     return  crossed  arrived    return  crossed  arrived");
    for (int k = 0; k < SEEDS; k++) {
        for (int slowly = 0; slowly < 2; slowly++)
            run((uint64_t)k + 1, slowly, &r[k][slowly]);
        printf("%4d", k + 1);
        for (int i = 0; i < HEADS; i++)
            printf("%6.0f %%", 100 * r[k][0].share[i][LOOK / EVERY]);
        for (int slowly = 0; slowly < 2; slowly++) {
            const result *one = &r[k][slowly];
            printf("%11.1f %5d/20 %5d/20", one->sum, one->crossed, one->arrived);
        }
        putchar('\n');
    }
    if (argc > 1) draw(argv[1], &r[1][0], &r[1][1]);
    return 0;
}
