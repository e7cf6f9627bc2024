/* bench/case_feature.c - an observation that is missing, found by the error of one value
 *
 *     make build/bench/case_feature QUESTIONS=case_feature
 *     build/bench/case_feature [picture.svg]
 *
 * A house is heated. Comfort depends on the temperature; the bill on a tariff that is dear or cheap
 * for about twenty hours each. An agent that is not told the tariff learns all the same, and its
 * return does not show that something is missing. The value of each component against the return
 * that followed does: the bill stays unexplained. Its table is in docs/guide/sacd-cases.md.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 10000, SEEDS = 4, HOURS = 168, TAIL = 48, WEEKS = 20, POINTS = 600 };
enum { COMFORT, BILL, HEADS = 3 };
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    printf("%s: %s\n", err.where, err.message);
    exit(1);
}

/* ---- the environment: a week, an action each hour ------------------------------------------- */

typedef struct house {
    double inside, outside; /* degrees */
    double price;           /* of a unit of heat: 0.2 or 1 */
    int hour;
    bool told; /* does the agent see the price? */
    vdi_rng rng;
} house;

static void look(const house *h, float *obs) {
    obs[0] = (float)(h->inside - 20) / 5;
    obs[1] = (float)h->outside / 10;
    obs[2] = h->told && h->price > 0.5;
}

static vdi_status house_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                              vdi_error *error) {
    house *h = self;
    (void)error;
    h->rng = vdi_env_rng(seed, episode);
    h->hour = 0;
    h->inside = 15 + 10 * vdi_rng_uniform(&h->rng);
    h->outside = 5 * vdi_rng_normal(&h->rng);
    h->price = vdi_rng_bernoulli(&h->rng, 0.5) ? 1 : 0.2;
    look(h, obs);
    return VDI_OK;
}

static vdi_status house_step(void *self, const float *action, float *obs, float *reward, int *end,
                             vdi_error *error) {
    house *h = self;
    const double heat = 2.5 * (action[0] + 1.0);
    (void)error;
    reward[COMFORT] = (float)(-0.5 * fabs(h->inside - 20));
    reward[BILL] = (float)(-h->price * heat);
    h->inside += heat + 0.1 * (h->outside - h->inside);
    h->outside += -0.05 * h->outside + 1.56 * vdi_rng_normal(&h->rng);
    if (vdi_rng_bernoulli(&h->rng, 0.05)) h->price = h->price > 0.5 ? 0.2 : 1;
    h->hour++;
    *end = h->hour == HOURS ? VDI_ENV_TRUNCATED : 0;
    look(h, obs);
    return VDI_OK;
}

/* ---- train, then compare in new weeks what was expected with what came ---------------------- */

typedef struct result {
    vdi_value_error head[HEADS];
    double value[2][POINTS], realised[2][POINTS]; /* some pairs of both components */
    double sum;                                   /* mean return of the weeks */
} result;

/* Some pairs of value and return of one week, for the picture. */
static void keep_points(const vdi_sacd_trace *trace, int week, result *out) {
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < POINTS / WEEKS; k++) {
            int at = week * (POINTS / WEEKS) + k;
            out->value[i][at] = trace->value[4 * k * HEADS + i];
            out->realised[i][at] = trace->returns[4 * k * HEADS + i];
        }
    }
}

/* The week is cut off, so the last returns are mostly the value itself: 0.9^48 = 0.006 of it is
   left where they are used. Actions are sampled: the values are of that policy. */
static void judge(vdi_sacd *agent, vdi_env *env, result *out) {
    vdi_value_check check = {0};
    vdi_sacd_trace *trace;
    need(vdi_sacd_trace_create(agent, HOURS, NULL, &trace, &err));
    for (int week = 0; week < WEEKS; week++) {
        need(vdi_sacd_trace_play(trace, agent, env, 1000001, (uint64_t)week, false, &err));
        vdi_value_check_pairs(&check, HOURS - TAIL, HEADS, trace->value, trace->returns);
        for (int k = 0; k < 2 * HOURS; k++)
            out->sum += trace->reward[k] / (double)WEEKS;
        keep_points(trace, week, out);
    }
    for (int i = 0; i < HEADS; i++)
        out->head[i] = vdi_value_check_head(&check, i);
    vdi_sacd_trace_destroy(trace);
}

static void run(uint64_t seed, bool told, result *out) {
    static const char *const component[] = {"comfort", "bill"};
    house self = {.told = told};
    vdi_env env = {.name = "house",
                   .observations = 3,
                   .actions = 1,
                   .components = 2,
                   .limit = HOURS,
                   .component = component,
                   .reset = house_reset,
                   .step = house_step,
                   .self = &self};
    vdi_sacd_desc desc = {.observations = 3,
                          .actions = 1,
                          .components = 2,
                          .hidden = {32, 32},
                          .batch = 64,
                          .start = 500,
                          .rate = 1e-3,
                          .critic_rate = 1e-3, /* the published form of the critics' loss */
                          .has_composite_weight = true,
                          .gamma = 0.9,
                          .log_alpha = -1,
                          .capacity = STEPS,
                          .seed = seed};
    vdi_sacd_episode *episode;
    vdi_sacd *agent;
    need(vdi_sacd_create(&desc, &agent, &err));
    need(vdi_sacd_episode_create(agent, NULL, &episode, &err));
    for (int step = 0; step < STEPS; step++)
        need(vdi_sacd_step(agent, &env, episode, NULL, &err));
    judge(agent, &env, out);
    vdi_sacd_episode_destroy(episode);
    vdi_sacd_destroy(agent);
}

static void print_row(int seed, bool told, const result *r) {
    printf("seed %d, %s", seed, told ? "shown " : "hidden");
    for (int i = 0; i < 2; i++) {
        const vdi_value_error *e = &r->head[i];
        printf("    %14.2f %5.2f %10.2f", e->bias, e->rmse, e->explained);
    }
    printf("     return %.0f\n", r->sum);
}

static void draw_panel(vdi_figure *f, int told, int i, result *r) {
    static const char *const title[2][2] = {{"comfort, tariff hidden", "bill, tariff hidden"},
                                            {"comfort, tariff shown", "bill, tariff shown"}};
    static double line[2] = {-60, 0};
    vdi_panel *p = vdi_figure_panel(f, told, i);
    double explained = round(100 * r->head[i].explained) / 100;
    p->title = vdi_figure_text(f, "%s: %g explained", title[told][i], explained);
    p->x.label = "value";
    p->y.label = "realised return";
    p->x.has_limits = p->y.has_limits = true;
    p->x.low = p->y.low = i == BILL ? -32 : -9;
    vdi_tensor value = vdi_tensor_1d(r->value[i], VDI_F64, POINTS);
    vdi_tensor realised = vdi_tensor_1d(r->realised[i], VDI_F64, POINTS);
    vdi_series *points = vdi_panel_scatter(p, NULL, value, realised);
    points->color = VDI_COLOR_BLUE;
    points->width = 3;
    vdi_series *diagonal = vdi_panel_line(p, NULL, vdi_tensor_1d(line, VDI_F64, 2));
    diagonal->x = vdi_tensor_1d(line, VDI_F64, 2);
    diagonal->color = VDI_COLOR_GREY;
}

int main(int argc, char **argv) {
    static result r[SEEDS][2];
    puts("                   comfort: bias  RMSE  explained        bill: bias  RMSE  explained");
    for (int k = 0; k < SEEDS; k++) {
        for (int told = 0; told < 2; told++) {
            run((uint64_t)k + 1, told, &r[k][told]);
            print_row(k + 1, told, &r[k][told]);
        }
    }
    if (argc < 2) return 0;
    vdi_figure_desc desc = {.rows = 2, .cols = 2};
    vdi_figure f;
    vdi_figure_init(&f, &desc);
    for (int told = 0; told < 2; told++) {
        for (int i = 0; i < 2; i++)
            draw_panel(&f, told, i, &r[0][told]);
    }
    need(vdi_svg_save(argv[1], &f, &err));
    vdi_figure_free(&f);
    return 0;
}
