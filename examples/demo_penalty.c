/* examples/demo_penalty.c - a penalty that keeps an agent from exploring: found by its influence,
 * repaired by a schedule of its weight
 *
 *     cc -O2 -I. examples/demo_penalty.c -o demo_penalty -lm -lpthread &&
 *         ./demo_penalty demo_penalty.svg
 *
 * A walker in a square wants to the other bank of a river, which can be forded in one place. Wading
 * costs more the farther from the ford, so an agent that has not found the ford yet learns to stay
 * on its bank. With a value for each component one can see what holds it, let that component in
 * slowly, and have the agent cross anywhere first, then where it is cheap. docs/sacd_tools.md tells
 * more.
 */
#define VDI_SACD_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#include "vdi.h"

#include <stdio.h>

enum {
    STEPS = 15000,
    SEEDS = 5,
    LOOK = 1500,
    EVERY = 300,
    LOOKS = STEPS / EVERY,
    EPISODES = 20,
    LIMIT = 40,
    GOAL = 0,
    RIVER = 1,
    HEADS = 3
};

/* ---- the environment: position in [-1,1]^2, a step of up to 0.15 along each axis; rewards for the goal and for the river --- */

typedef struct river {
    double x, y;
    int steps;
} river;

static double far(const river *s) { return hypot(s->x - 0.75, s->y + 0.3); }

static vdi_status river_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                              vdi_error *err) {
    river *s = (river *)self;
    vdi_rng rng = vdi_env_rng(seed, episode);
    (void)err;
    s->steps = 0;
    obs[0] = (float)(s->x = -0.9 + 0.2 * vdi_rng_uniform(&rng));
    obs[1] = (float)(s->y = -0.8 + 1.6 * vdi_rng_uniform(&rng));
    return VDI_OK;
}

static vdi_status river_step(void *self, const float *action, float *obs, float *reward, int *end,
                             vdi_error *err) {
    river *s = (river *)self;
    const double before = far(s);
    (void)err;
    s->x = fmin(1, fmax(-1, s->x + 0.15 * (double)action[0]));
    s->y = fmin(1, fmax(-1, s->y + 0.15 * (double)action[1]));
    const double off = fmax(fabs(s->y - 0.55) - 0.15, 0); /* from the ford */
    const bool there = far(s) < 0.15;
    reward[GOAL] = (float)(3 * (before - far(s)) + (there ? 5 : 0));
    reward[RIVER] = fabs(s->x) < 0.25 ? (float)(-4 * fmin(off / 0.5, 1)) : 0.0f;
    *end = there ? VDI_ENV_TERMINATED : ++s->steps == LIMIT ? VDI_ENV_TRUNCATED : 0;
    obs[0] = (float)s->x;
    obs[1] = (float)s->y;
    return VDI_OK;
}

/* ---- a run: train, look at the influence of each component, judge under the full weights ----- */

typedef struct result {
    double share[HEADS][LOOKS], weight[LOOKS]; /* over training */
    double sum;                                /* mean return of new episodes */
    int crossed, arrived;                      /* of EPISODES */
    double path[EPISODES][2][LIMIT];           /* x, y; NaN after the end */
} result;

static vdi_status train(uint64_t seed, bool tame, result *out, vdi_error *err) {
    static const char *const component[] = {"goal", "river"};
    river self;
    vdi_env env = {"river", 2,         2,           2,          LIMIT, NULL,
                   NULL,    component, river_reset, river_step, NULL,  &self};
    vdi_sacd_desc desc = VDI__ZERO;
    desc.observations = 2;
    desc.actions = 2;
    desc.components = 2;
    desc.hidden[0] = desc.hidden[1] = 32;
    desc.batch = 64;
    desc.start = 1000;
    desc.rate = 1e-3;
    desc.tau = 0.01;
    desc.gamma = 0.97;
    desc.log_alpha = -2;
    desc.capacity = STEPS;
    desc.seed = seed;
    vdi_sacd *agent;
    vdi_sacd_trace *trace = NULL;
    vdi_status status = vdi_sacd_create(&desc, &agent, err);
    if (status < 0) return status;
    vdi_sacd_episode episode = VDI__ZERO;
    vdi_rng rng = vdi_rng_make(seed, 1);
    double share[HEADS], weights[HEADS];
    for (int step = 0; status >= 0 && step < STEPS; step++) {
        status = vdi_sacd_step(agent, &env, &episode, NULL, err);
        if (status >= 0 && tame && step == LOOK)
            status = vdi_sacd_mean_influence(agent, &rng, 200, share, err);
        if (status >= 0 && tame && step == LOOK) {
            /* 3 % of the pull for 3,000 steps, then in a straight line to its own weight */
            status = vdi_sacd_schedule_weight(agent, RIVER, 0.03 / share[RIVER], 1, step + 3000,
                                              8000, err);
        }
        if (status < 0 || step % EVERY) continue;
        status = vdi_sacd_mean_influence(agent, &rng, 100, share, err);
        vdi_sacd_weights(agent, weights);
        for (int i = 0; i < HEADS; i++)
            out->share[i][step / EVERY] = share[i];
        out->weight[step / EVERY] = weights[RIVER];
    }
    if (status >= 0) status = vdi_sacd_trace_create(agent, LIMIT, NULL, &trace, err);
    for (int k = 0; status >= 0 && k < EPISODES; k++) {
        status = vdi_sacd_trace_play(trace, agent, &env, 1000001, (uint64_t)k, true, err);
        if (status < 0) break;
        for (int t = 0; t < 2 * LIMIT; t++) {
            out->path[k][t % 2][t / 2] = t / 2 < trace->steps ? (double)trace->obs[t] : NAN;
            out->sum += t / 2 < trace->steps ? (double)trace->reward[t] / EPISODES : 0;
        }
        out->crossed += trace->obs[2 * (trace->steps - 1)] > 0.25f;
        out->arrived += (trace->end & VDI_ENV_TERMINATED) != 0;
    }
    vdi_sacd_trace_destroy(trace);
    vdi_sacd_destroy(agent);
    return status;
}

static vdi_status draw(const char *path, result (*run)[2], vdi_error *err) {
    vdi_figure f;
    vdi_figure_desc desc = VDI__ZERO;
    static const char *const name[] = {"goal", "river", "entropy"};
    desc.rows = 2;
    desc.cols = 2;
    desc.height = 230;
    vdi_figure_init(&f, &desc);
    for (int tame = 0; tame < 2; tame++) {
        result *r = &run[1][tame];
        vdi_panel *p = vdi_figure_panel(&f, 0, tame);
        p->title =
            tame ? "river let in slowly: new episodes" : "full weight from the start: new episodes";
        p->x.label = "x";
        p->y.label = "y";
        p->x.has_limits = p->y.has_limits = true;
        p->x.low = p->y.low = -1;
        p->x.high = p->y.high = 1;
        vdi_panel_rule(p, "banks", 'x', -0.25)->color = VDI_COLOR_GREY;
        vdi_panel_rule(p, NULL, 'x', 0.25)->color = VDI_COLOR_GREY;
        for (int k = 0; k < EPISODES; k++) {
            vdi_series *s =
                vdi_panel_line(p, k ? NULL : "paths", vdi_tensor_1d(r->path[k][1], VDI_F64, LIMIT));
            s->x = vdi_tensor_1d(r->path[k][0], VDI_F64, LIMIT);
            s->color = VDI_COLOR_BLUE;
            s->opacity = 0.6;
        }
        p = vdi_figure_panel(&f, 1, tame);
        p->x.label = "steps of training";
        p->y.label = "share of the influence";
        p->dx = EVERY;
        p->y.has_limits = true;
        p->y.high = 1;
        for (int i = 0; i < HEADS; i++)
            vdi_panel_line(p, name[i], vdi_tensor_1d(r->share[i], VDI_F64, LOOKS));
        if (tame) {
            vdi_panel_line(p, "weight of river", vdi_tensor_1d(r->weight, VDI_F64, LOOKS))->dashed =
                true;
        }
    }
    vdi_status status = vdi_svg_save(path, &f, err);
    vdi_figure_free(&f);
    return status;
}

int main(int argc, char **argv) {
    static result run[SEEDS][2];
    vdi_error err;
    puts("       influence at step 1500      full weight from the start        let in slowly");
    puts("seed    goal   river  entropy     return  crossed  arrived         return  crossed  "
         "arrived");
    for (int k = 0; k < SEEDS; k++) {
        for (int tame = 0; tame < 2; tame++) {
            if (train((uint64_t)k + 1, tame, &run[k][tame], &err) < 0) {
                fprintf(stderr, "%s: %s\n", err.where, err.message);
                return 1;
            }
        }
        const result *a = &run[k][0], *b = &run[k][1];
        printf("%4d", k + 1);
        for (int i = 0; i < HEADS; i++)
            printf("%6.0f %%", 100 * a->share[i][LOOK / EVERY]);
        printf("%11.1f %5d/20 %5d/20 %14.1f %5d/20 %5d/20\n", a->sum, a->crossed, a->arrived,
               b->sum, b->crossed, b->arrived);
    }
    return argc > 1 && draw(argv[1], run, &err) < 0
           ? fprintf(stderr, "%s: %s\n", err.where, err.message),
           1 : 0;
}
