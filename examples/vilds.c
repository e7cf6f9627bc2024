/* examples/vilds.c - stochastic volatility: a model that is given by nothing but its log density
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/vilds.c -o vilds -lm -pthread && ./vilds [out.svg]
 *
 *     h_1 ~ N(0, 1),   h_t = phi h_{t-1} + N(0, s^2),   y_t ~ N(0, exp(mu + h_t))
 *
 * Returns of a market are noise whose size wanders. vdi gets log p(y, h) below and nothing else. It
 * learns phi, s, mu, and a network from nine returns to the posterior of h (docs/guide/vilds.md).
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRIALS = 40, T = 200, BINS = TRIALS * T };
static const double phi = 0.95, s = 0.3, mu = -1;
static vdi_vilds *model;
static double h[BINS], y[BINS];           /* the log variance, and the returns */
static double mean[BINS], variance[BINS]; /* the posterior of the log variance */
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

static void simulate(void) {
    vdi_rng rng = vdi_rng_make(1, 0);
    for (int i = 0; i < BINS; i++) {
        const double noise = vdi_rng_normal(&rng);
        h[i] = i % T ? phi * h[i - 1] + s * noise : noise;
        y[i] = exp(0.5 * (mu + h[i])) * vdi_rng_normal(&rng);
    }
}

/* z (S,B,T,1) is h; y and mask (B,T,1); parameters phi = tanh(a), log s, mu. Returns (S,B). */
static vdi_var log_joint(vdi_tape *t, vdi_var z, vdi_var returns, vdi_var mask,
                         const vdi_trial_info *info, void *user) {
    const int64_t last = info->T - 1;
    (void)user;
    vdi_var decay = vdi_var_tanh(t, vdi_trial_param(t, info, 0));
    vdi_var log_s = vdi_trial_param(t, info, 1), level = vdi_trial_param(t, info, 2);
    vdi_var zero = vdi_tape_scalar(t, 0);

    /* the returns: log N(y; 0, exp((mu + h) / 2)), where one was seen */
    vdi_var log_sd = vdi_var_mul_scalar(t, vdi_var_add(t, z, level), 0.5);
    vdi_var seen = vdi_var_mul(t, vdi_var_normal_log_prob(t, returns, zero, log_sd), mask);

    /* the path: its start, and the transition into each later bin, whether that was seen or not */
    vdi_var start = vdi_var_normal_log_prob(t, vdi_var_slice(t, z, 2, 0, 1, 1), zero, zero);
    vdi_var before = vdi_var_slice(t, z, 2, 0, 1, last), after = vdi_var_slice(t, z, 2, 1, 1, last);
    vdi_var move = vdi_var_normal_log_prob(t, after, vdi_var_mul(t, before, decay), log_s);
    vdi_var path = vdi_var_concat(t, (vdi_var[]){start, move}, 2, 2); /* (S,B,T,1) */
    vdi_var all = vdi_var_add(t, seen, vdi_var_mul(t, path, vdi_trial_mask(t, info)));
    return vdi_var_sum_axis(t, vdi_var_sum_axis(t, all, 3, false), 2, false);
}

static double learned(const char *name) {
    return *(float *)vdi_params_find(vdi_vilds_params(model), name)->value.data;
}

static void report(vdi_vilds_data *data) {
    double work[16], r2, elbo;
    need(vdi_vilds_score(model, data, NULL, &elbo, &err));
    need(vdi_score_linear_r2(BINS, 1, mean, 1, h, BINS, work, NULL, &r2, &err));
    printf("phi %.3f (true %.3f)\n", tanh(learned("a")), phi);
    printf("s   %.3f (true %.3f)\n", exp(learned("log_s")), s);
    printf("mu %.3f (true %.3f)\n", learned("mu"), mu);
    printf("bound %.4f nats per bin\n", elbo);
    printf("correlation of posterior mean and true log variance %.3f\n", sqrt(r2));
}

static void draw(const char *path) {
    static double low[T], high[T]; /* of the first trial, which is drawn */
    vdi_figure f;
    vdi_figure_desc desc = {.rows = 2, .height = 120};
    for (int t = 0; t < T; t++) {
        low[t] = mean[t] - 2 * sqrt(variance[t]);
        high[t] = mean[t] + 2 * sqrt(variance[t]);
    }
    vdi_figure_init(&f, &desc);
    vdi_panel *top = vdi_figure_panel(&f, 0, 0), *bottom = vdi_figure_panel(&f, 1, 0);
    top->x.bare = true;
    top->y.label = "return";
    bottom->x.label = "time (bins)";
    bottom->y.label = "log variance";
    vdi_tensor under = vdi_tensor_1d(low, VDI_F64, T), over = vdi_tensor_1d(high, VDI_F64, T);
    vdi_panel_line(top, NULL, vdi_tensor_1d(y, VDI_F64, T))->color = VDI_COLOR_GREY;
    vdi_panel_band(bottom, "two standard deviations", under, over)->color = VDI_COLOR_BLUE;
    vdi_panel_line(bottom, "inferred", vdi_tensor_1d(mean, VDI_F64, T))->color = VDI_COLOR_BLUE;
    vdi_panel_line(bottom, "true", vdi_tensor_1d(h, VDI_F64, T))->color = VDI_COLOR_VERMILION;
    need(vdi_svg_save(path, &f, &err));
    vdi_figure_free(&f);
}

int main(int argc, char **argv) {
    vdi_param_desc params[3] = {vdi_param_1d("a", VDI_INIT_CONSTANT, 1, 1),
                                vdi_param_1d("log_s", VDI_INIT_CONSTANT, -1, 1),
                                vdi_param_1d("mu", VDI_INIT_ZEROS, 0, 1)};
    vdi_vilds_desc desc = {.d = 1, .n = 1, .reach = 4, .free_start = true, .log_joint = log_joint};
    desc.obs = VDI_VILDS_GAUSSIAN;
    desc.user_params = params;
    desc.user_param_count = 3;
    desc.train = (vdi_vilds_train){.steps = 1500, .no_masking = true};
    vdi_vilds_data_desc all = {.y = vdi_tensor_3d(y, VDI_F64, TRIALS, T, 1)};
    vdi_vilds_result out = {.mean = mean, .cov = variance};
    vdi_vilds_data *data;
    simulate();
    need(vdi_vilds_create(&desc, &model, &err));
    need(vdi_vilds_data_create(model, &all, &data, &err));
    need(vdi_vilds_fit(model, data, NULL, NULL, NULL, &err));
    need(vdi_vilds_infer(model, data, NULL, &out, &err));
    report(data);
    if (argc > 1) draw(argv[1]);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(model);
    return 0;
}
