/* examples/deepspike.c - spikes from fluorescence, with a generative model of your own
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/deepspike.c -o deepspike -lm -pthread && ./deepspike
 *
 *     c_t = s_t + g c_{t-1},   f_t ~ N(beta + alpha c_t, sigma^2 (1 + k alpha c_t))
 *
 * Photons come one by one, so bright frames are noisier. No model of calcium.h says that, so log
 * p(f | s) is written here. DeepSpike learns the rest from the traces alone (docs/guide/spikes.md).
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CELLS = 6, T = 3000, STEPS = 800 };
enum { DECAY, AMPLITUDE, BASELINE, NOISE, SHOT, COUNT }; /* the unconstrained numbers of a cell */
static float f[CELLS][T];
static double spikes[CELLS][T], probability[CELLS][T], amplitude[CELLS];
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

static double softplus(double x) { return log1p(exp(x)); }

/* spikes (T,S,B), f and mask (T,B), theta (COUNT); returns log p(f | s, theta), (S,B) */
static vdi_var log_likelihood(vdi_tape *t, vdi_var s, vdi_var trace, vdi_var mask, vdi_var theta,
                              const vdi_calcium_info *info, void *user) {
    vdi_var p[COUNT];
    (void)info;
    (void)user;
    for (int i = 0; i < COUNT; i++)
        p[i] = vdi_var_index(t, theta, 0, i);
    vdi_var alpha = vdi_var_softplus(t, p[AMPLITUDE]), k = vdi_var_softplus(t, p[SHOT]);
    vdi_var log_sigma = vdi_var_log(t, vdi_var_softplus(t, p[NOISE]));

    vdi_var c = vdi_var_scan(t, vdi_var_sigmoid(t, p[DECAY]), s, vdi_var_none(), 0);
    vdi_var signal = vdi_var_mul(t, alpha, c);
    vdi_var growth = vdi_var_add_scalar(t, vdi_var_mul(t, k, signal), 1);
    vdi_var log_sd = vdi_var_add(t, log_sigma, vdi_var_mul_scalar(t, vdi_var_log(t, growth), 0.5));
    vdi_var expected = vdi_var_add(t, signal, p[BASELINE]);

    vdi_var bin = vdi_var_normal_log_prob(t, vdi_var_unsqueeze(t, trace, 1), expected, log_sd);
    return vdi_var_sum_axis(t, vdi_var_mul(t, bin, vdi_var_unsqueeze(t, mask, 1)), 0, false);
}

static void simulate(void) {
    for (int i = 0; i < CELLS; i++) {
        vdi_rng rng = vdi_rng_make(7, (uint64_t)i);
        double c = 0, sigma = softplus(-2.4), k = softplus(1);
        double g = 1 / (1 + exp(-2.5 - vdi_rng_uniform(&rng)));
        amplitude[i] = softplus(-1 + 0.8 * vdi_rng_uniform(&rng));
        for (int t = 0; t < T; t++) {
            spikes[i][t] = vdi_rng_bernoulli(&rng, 0.015);
            c = spikes[i][t] + g * c;
            double signal = amplitude[i] * c;
            f[i][t] = (float)(signal + sigma * sqrt(1 + k * signal) * vdi_rng_normal(&rng));
        }
    }
}

/* Three convolutions and a head; VIMCO with 32 sampled trains of each of 8 snippets. */
static vdi_deepspike_desc describe(void) {
    vdi_deepspike_desc desc = {.layers = 3, .channels = {12, 12, 12}, .width = {31, 15, 11}};
    desc.generative.log_likelihood = log_likelihood;
    desc.generative.theta_count = COUNT;
    desc.generative.theta_init[DECAY] = 3;
    desc.generative.theta_init[NOISE] = -2;
    desc.train = (vdi_deepspike_train){.steps = STEPS, .batch = 8, .samples = 32, .rate = 3e-3};
    desc.train.schedule = (vdi_schedule){.kind = VDI_SCHEDULE_COSINE, .steps = STEPS, .last = 0.05};
    desc.train.theta_factor = 60;
    return desc;
}

static void learn(vdi_deepspike *net, vdi_deepspike_data *data) {
    vdi_deepspike_progress progress;
    double bound = 0;
    for (int i = 0; i < STEPS; i++) {
        need(vdi_deepspike_step(net, data, &progress, &err));
        bound += progress.bound / (STEPS / 5);
        if (progress.step % (STEPS / 5)) continue;
        printf("step %4d: bound %7.3f nats per bin\n", (int)progress.step, bound);
        bound = 0;
    }
}

static double judge(vdi_deepspike_data *data) {
    double work[16], r2, r = 0, worst = 0;
    for (int i = 0; i < CELLS; i++) {
        double found = softplus(vdi_deepspike_data_theta(data, i)[AMPLITUDE]);
        need(vdi_score_linear_r2(T, 1, probability[i], 1, spikes[i], T, work, NULL, &r2, &err));
        r += sqrt(r2) / CELLS;
        worst = fmax(worst, fabs(found / amplitude[i] - 1));
    }
    printf("correlation of probability and spikes: %.3f\n", r);
    printf("amplitudes within %.0f %% of the truth\n", 100 * worst);
    return r;
}

int main(void) {
    vdi_deepspike_desc desc = describe();
    vdi_deepspike_data_desc traces = {.traces = vdi_tensor_2d(f, VDI_F32, CELLS, T)};
    vdi_deepspike_result out = {.probability = &probability[0][0]};
    vdi_deepspike *net;
    vdi_deepspike_data *data;
    simulate();
    need(vdi_deepspike_create(&desc, &net, &err));
    need(vdi_deepspike_data_create(net, &traces, &data, &err));
    learn(net, data);
    need(vdi_deepspike_infer(net, data, NULL, &out, &err));
    double r = judge(data);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
    return r < 0.6; /* the example is also a test */
}
