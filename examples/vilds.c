/* Stochastic volatility: variational inference in a model that is given by nothing but its log
 * joint density.
 *
 *     cc -O2 -I.. vilds.c -o vilds -lm -lpthread && ./vilds   (-I: the folder of vdi.h)
 *
 *     h_1 ~ N(0, s^2 / (1 - phi^2)),   h_t = phi h_{t-1} + N(0, s^2),   y_t ~ N(0, exp(mu + h_t))
 *
 * Returns of a market are noise whose size wanders. Nobody told vdi this model: log p(y, h) below
 * is all that it gets. It learns phi, s and mu, and a network that reads a window of returns and
 * gives the posterior of the log variance.
 */
#define VDI_VILDS_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

enum { TRIALS = 40, T = 200 };

/* z (S,B,T,1), y and mask (B,T,1); the parameters: phi = tanh(a), log s, mu. Returns (S,B). */
static vdi_var log_joint(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask,
                         const vdi_trial_info *info, void *user) {
    (void)user;
    vdi_var p[3];
    for (int i = 0; i < 3; i++)
        p[i] = vdi_var_cast(t, vdi_tape_param(t, &info->params[i]), VDI_F64);
    vdi_var phi = vdi_var_tanh(t, p[0]);
    vdi_var log_s = p[1];
    vdi_var zero = vdi_var_cast(t, vdi_tape_scalar(t, 0), VDI_F64);
    y = vdi_var_cast(t, y, VDI_F64);
    mask = vdi_var_cast(t, mask, VDI_F64);
    int64_t last = info->T - 1;
    /* the returns: log N(y; 0, exp((mu + h) / 2)), where there is one */
    vdi_var seen = vdi_var_mul(
        t, vdi_var_normal_log_prob(t, y, zero, vdi_var_mul_scalar(t, vdi_var_add(t, z, p[2]), 0.5)),
        mask);
    /* the transitions into each bin that counts */
    vdi_var before = vdi_var_slice(t, z, 2, 0, 1, last), after = vdi_var_slice(t, z, 2, 1, 1, last);
    vdi_var steps =
        vdi_var_mul(t, vdi_var_normal_log_prob(t, after, vdi_var_mul(t, before, phi), log_s),
                    vdi_var_slice(t, mask, 1, 1, 1, last));
    /* the start: standard deviation s / sqrt(1 - phi^2) */
    vdi_var shrink = vdi_var_mul_scalar(
        t, vdi_var_log(t, vdi_var_scale_shift(t, vdi_var_square(t, phi), -1, 1)), -0.5);
    vdi_var first = vdi_var_normal_log_prob(t, vdi_var_slice(t, z, 2, 0, 1, 1), zero,
                                            vdi_var_add(t, log_s, shrink));
    vdi_var parts[3], r = vdi_var_none();
    parts[0] = seen;
    parts[1] = steps;
    parts[2] = first;
    for (int i = 0; i < 3; i++) { /* (S,B,.,1) to (S,B) */
        vdi_var sum = vdi_var_sum_axis(t, vdi_var_sum_axis(t, parts[i], 3, false), 2, false);
        r = i ? vdi_var_add(t, r, sum) : sum;
    }
    return r;
}

static int failed(const vdi_error *err) {
    fprintf(stderr, "%s: %s\n", err->where, err->message);
    return 1;
}

int main(void) {
    static double y[TRIALS * T], h[TRIALS * T], mean[TRIALS * T];
    const double phi = 0.95, s = 0.3, mu = -1;
    vdi_rng rng = vdi_rng_make(1, 0);
    for (int i = 0; i < TRIALS * T; i++) {
        h[i] = i % T ? phi * h[i - 1] + s * vdi_rng_normal(&rng)
                     : s / sqrt(1 - phi * phi) * vdi_rng_normal(&rng);
        y[i] = exp(0.5 * (mu + h[i])) * vdi_rng_normal(&rng);
    }
    vdi_error err;
    vdi_param_desc params[3];
    params[0] = vdi_param_make("a", VDI_INIT_CONSTANT, 1, 1, 1);
    params[1] = vdi_param_make("log_s", VDI_INIT_CONSTANT, -1, 1, 1);
    params[2] = vdi_param_make("mu", VDI_INIT_ZEROS, 0, 1, 1);
    vdi_vilds_desc desc = VDI__ZERO;
    desc.d = 1;
    desc.n = 1;
    desc.obs = VDI_VILDS_GAUSSIAN; /* real values; the log joint says the rest */
    desc.log_joint = log_joint;
    desc.user_params = params;
    desc.user_param_count = 3;
    desc.free_start = true;
    desc.reach = 4;
    desc.train.steps = 1500;
    desc.train.no_masking = true;
    vdi_vilds *model;
    vdi_vilds_data *data;
    vdi_vilds_data_desc dd = VDI__ZERO;
    dd.y = vdi_tensor_3d(y, VDI_F64, TRIALS, T, 1);
    if (vdi_vilds_create(&desc, &model, &err) < 0 ||
        vdi_vilds_data_create(model, &dd, &data, &err) < 0)
        return failed(&err);
    if (vdi_vilds_fit(model, data, NULL, NULL, NULL, &err) < 0) return failed(&err);

    double elbo;
    double value[3];
    double sx = 0;
    double sy = 0;
    double sxx = 0;
    double syy = 0;
    double sxy = 0;
    double k = TRIALS * T;
    vdi_vilds_result out = VDI__ZERO;
    out.mean = mean;
    if (vdi_vilds_score(model, data, NULL, &elbo, &err) < 0 ||
        vdi_vilds_infer(model, data, NULL, &out, &err) < 0)
        return failed(&err);
    for (int i = 0; i < 3; i++)
        value[i] = *(float *)vdi_params_find(vdi_vilds_params(model), params[i].name)->value.data;
    for (int i = 0; i < TRIALS * T; i++) {
        sx += h[i];
        sy += mean[i];
        sxx += h[i] * h[i];
        syy += mean[i] * mean[i];
        sxy += h[i] * mean[i];
    }
    double r = (sxy - sx * sy / k) / sqrt((sxx - sx * sx / k) * (syy - sy * sy / k));
    printf("phi %.3f (true %.3f), s %.3f (%.3f), mu %.3f (%.3f)\n", tanh(value[0]), phi,
           exp(value[1]), s, value[2], mu);
    printf("ELBO %.4f nats per bin; correlation of posterior mean and true log variance %.3f\n",
           elbo, r);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(model);
    return 0;
}
