/* examples/demo_feature.c - an observation that is missing, found by the value error of the one
 * component that depends on it
 *
 *     cc -O2 -I. examples/demo_feature.c -o demo_feature -lm -lpthread &&
 *         ./demo_feature demo_feature.svg
 *
 * A house is heated. Comfort depends on the temperature; the bill on a tariff that is dear or cheap
 * for about twenty hours each. An agent that is not told the tariff learns all the same, and its
 * return does not show that something is missing. The value of each component against the return
 * that followed does: the bill stays unexplained while comfort does not. docs/sacd_tools.md tells
 * more.
 */
#define VDI_SACD_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#include "vdi.h"

#include <stdio.h>

enum { STEPS = 10000, SEEDS = 4, HOURS = 168, TAIL = 48, WEEKS = 20, HEADS = 3, POINTS = 600 };

/* ---- the environment: a week, an action each hour -------------------------------------------- */

typedef struct house {
    double inside, outside; /* degrees */
    double price;           /* of a unit of heat: 0.2 or 1 */
    int hour;
    bool told; /* does the agent see the price? */
    vdi_rng rng;
} house;

static vdi_status look(const house *h, float *obs) {
    obs[0] = (float)(h->inside - 20) / 5;
    obs[1] = (float)h->outside / 10;
    obs[2] = h->told && h->price > 0.5 ? 1.0f : 0.0f;
    return VDI_OK;
}

static vdi_status house_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                              vdi_error *err) {
    house *h = (house *)self;
    (void)err;
    h->rng = vdi_env_rng(seed, episode);
    h->hour = 0;
    h->inside = 15 + 10 * vdi_rng_uniform(&h->rng);
    h->outside = 5 * vdi_rng_normal(&h->rng);
    h->price = vdi_rng_bernoulli(&h->rng, 0.5) ? 1 : 0.2;
    return look(h, obs);
}

static vdi_status house_step(void *self, const float *action, float *obs, float *reward, int *end,
                             vdi_error *err) {
    house *h = (house *)self;
    const double heat = 2.5 * ((double)action[0] + 1);
    (void)err;
    reward[0] = (float)(-0.5 * fabs(h->inside - 20)); /* comfort */
    reward[1] = (float)(-h->price * heat);            /* bill */
    h->inside += heat + 0.1 * (h->outside - h->inside);
    h->outside += -0.05 * h->outside + 1.56 * vdi_rng_normal(&h->rng);
    if (vdi_rng_bernoulli(&h->rng, 0.05)) h->price = h->price > 0.5 ? 0.2 : 1;
    *end = ++h->hour == HOURS ? VDI_ENV_TRUNCATED : 0;
    return look(h, obs);
}

/* ---- train, then play new weeks and compare what was expected with what came ----------------- */

typedef struct result {
    vdi_value_error head[HEADS];
    double value[2][POINTS], realised[2][POINTS]; /* some pairs of both components */
    double sum;                                   /* mean return of the weeks */
} result;

static vdi_status train(uint64_t seed, bool told, result *out, vdi_error *err) {
    static const char *const component[] = {"comfort", "bill"};
    house self = VDI__ZERO;
    vdi_env env = {"house", 3,         1,           2,          HOURS, NULL,
                   NULL,    component, house_reset, house_step, NULL,  &self};
    vdi_sacd_desc desc = VDI__ZERO;
    vdi_sacd_episode episode = VDI__ZERO;
    vdi_value_check check = VDI__ZERO;
    vdi_sacd *agent;
    vdi_sacd_trace *trace = NULL;
    self.told = told;
    desc.observations = 3;
    desc.actions = 1;
    desc.components = 2;
    desc.hidden[0] = desc.hidden[1] = 32;
    desc.batch = 64;
    desc.start = 500;
    desc.rate = 1e-3;
    desc.gamma = 0.9;
    desc.log_alpha = -1;
    desc.capacity = STEPS;
    desc.seed = seed;
    vdi_status status = vdi_sacd_create(&desc, &agent, err);
    if (status < 0) return status;
    for (int step = 0; status >= 0 && step < STEPS; step++)
        status = vdi_sacd_step(agent, &env, &episode, NULL, err);
    if (status >= 0) status = vdi_sacd_trace_create(agent, HOURS, NULL, &trace, err);
    for (int week = 0; status >= 0 && week < WEEKS; week++) {
        /* sampled actions: the values are of that policy */
        status = vdi_sacd_trace_play(trace, agent, &env, 1000001, (uint64_t)week, false, err);
        if (status < 0) break;
        /* the week is cut off, so the last returns are mostly the value itself: 0.9^48 = 0.006 of
         * it is left where they are used */
        vdi_value_check_pairs(&check, HOURS - TAIL, HEADS, trace->value, trace->returns);
        for (int i = 0; i < 2; i++) {
            for (int k = 0; k < POINTS / WEEKS; k++) {
                out->value[i][week * (POINTS / WEEKS) + k] = trace->value[4 * k * HEADS + i];
                out->realised[i][week * (POINTS / WEEKS) + k] = trace->returns[4 * k * HEADS + i];
            }
        }
        for (int k = 0; k < 2 * HOURS; k++)
            out->sum += (double)trace->reward[k] / WEEKS;
    }
    for (int i = 0; i < HEADS; i++)
        out->head[i] = vdi_value_check_head(&check, i);
    vdi_sacd_trace_destroy(trace);
    vdi_sacd_destroy(agent);
    return status;
}

static vdi_status draw(const char *path, result *run, vdi_error *err) {
    vdi_figure f;
    vdi_figure_desc desc = VDI__ZERO;
    static double line[2] = {-60, 0};
    static const char *const title[2][2] = {{"comfort, tariff hidden", "bill, tariff hidden"},
                                            {"comfort, tariff shown", "bill, tariff shown"}};
    desc.rows = 2;
    desc.cols = 2;
    vdi_figure_init(&f, &desc);
    for (int told = 0; told < 2; told++) {
        for (int i = 0; i < 2; i++) {
            vdi_panel *p = vdi_figure_panel(&f, told, i);
            p->title = vdi_figure_text(&f, "%s: %g explained", title[told][i],
                                       round(100 * run[told].head[i].explained) / 100);
            p->x.label = "value";
            p->y.label = "realised return";
            p->x.has_limits = p->y.has_limits = true;
            p->x.low = p->y.low = i ? -32 : -9;
            vdi_series *s =
                vdi_panel_scatter(p, NULL, vdi_tensor_1d(run[told].value[i], VDI_F64, POINTS),
                                  vdi_tensor_1d(run[told].realised[i], VDI_F64, POINTS));
            s->color = VDI_COLOR_BLUE;
            s->width = 3;
            s = vdi_panel_line(p, NULL, vdi_tensor_1d(line, VDI_F64, 2));
            s->x = vdi_tensor_1d(line, VDI_F64, 2);
            s->color = VDI_COLOR_GREY;
        }
    }
    vdi_status status = vdi_svg_save(path, &f, err);
    vdi_figure_free(&f);
    return status;
}

int main(int argc, char **argv) {
    static result run[SEEDS][2];
    vdi_error err;
    puts("                    comfort: bias  RMSE  explained     bill: bias  RMSE  explained");
    for (int k = 0; k < SEEDS; k++) {
        for (int told = 0; told < 2; told++) {
            result *r = &run[k][told];
            if (train((uint64_t)k + 1, told, r, &err) < 0) {
                fprintf(stderr, "%s: %s\n", err.where, err.message);
                return 1;
            }
            printf("seed %d, %s %16.2f %5.2f %10.2f %14.2f %5.2f %10.2f     return %.0f\n", k + 1,
                   told ? "shown " : "hidden", r->head[0].bias, r->head[0].rmse,
                   r->head[0].explained, r->head[1].bias, r->head[1].rmse, r->head[1].explained,
                   r->sum);
        }
    }
    if (argc > 1 && draw(argv[1], run[0], &err) < 0) {
        fprintf(stderr, "%s: %s\n", err.where, err.message);
        return 1;
    }
    return 0;
}
