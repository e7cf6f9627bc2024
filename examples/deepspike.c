/* Spikes from fluorescence, with a generative model of your own.
 *
 *     cc -O2 -I.. deepspike.c -o deepspike -lm -lpthread && ./deepspike   (-I: the folder of vdi.h)
 *
 *     c_t = s_t + g c_{t-1},   f_t ~ N(beta + alpha c_t, sigma^2 (1 + k alpha c_t))
 *
 * Photons come one by one, so bright frames are noisier than dark ones. No model of calcium.h says
 * that, so log p(f | s, theta) is written down here, as operations of the tape; it is all that
 * DeepSpike gets. It learns g, alpha, beta, sigma and k of every cell, and one network for all of
 * them that turns a trace into spike probabilities: no spike is ever shown to it. In the end the
 * network runs frame by frame, as it would in an experiment that reacts to spikes, and gives the
 * same numbers to the bit.
 */
#define VDI_DEEPSPIKE_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

enum { CELLS = 6, T = 3000, STEPS = 800 };

/* The unconstrained numbers of a cell. */
enum { DECAY, AMPLITUDE, BASELINE, NOISE, SHOT, COUNT };
static double softplus(double x) { return log1p(exp(x)); }

/* spikes (T,S,B), f and mask (T,B), theta (COUNT); returns (S,B) */
static vdi_var log_likelihood(vdi_tape *t, vdi_var spikes, vdi_var f, vdi_var mask, vdi_var theta,
                              const vdi_calcium_info *info, void *user) {
    vdi_var p[COUNT];
    (void)info;
    (void)user;
    for (int i = 0; i < COUNT; i++)
        p[i] = vdi_var_index(t, theta, 0, i);
    vdi_var c = vdi_var_scan(t, vdi_var_sigmoid(t, p[DECAY]), spikes, vdi_var_none(), 0);
    vdi_var signal = vdi_var_mul(t, vdi_var_softplus(t, p[AMPLITUDE]), c);
    vdi_var grown = vdi_var_add_scalar(t, vdi_var_mul(t, vdi_var_softplus(t, p[SHOT]), signal), 1);
    vdi_var log_sd = vdi_var_add(t, vdi_var_log(t, vdi_var_softplus(t, p[NOISE])),
                                 vdi_var_mul_scalar(t, vdi_var_log(t, grown), 0.5));
    vdi_var each = vdi_var_normal_log_prob(t, vdi_var_unsqueeze(t, f, 1),
                                           vdi_var_add(t, signal, p[BASELINE]), log_sd);
    return vdi_var_sum_axis(t, vdi_var_mul(t, each, vdi_var_unsqueeze(t, mask, 1)), 0, false);
}

static float f[CELLS * T], spikes[CELLS * T];
static double truth[CELLS][COUNT];
static void simulate(void) {
    for (int i = 0; i < CELLS; i++) {
        vdi_rng rng = vdi_rng_make(7, (uint64_t)i);
        double c = 0, *theta = truth[i];
        theta[DECAY] = 2.5 + vdi_rng_uniform(&rng);
        theta[AMPLITUDE] = -1 + 0.8 * vdi_rng_uniform(&rng);
        theta[BASELINE] = 0;
        theta[NOISE] = -2.4;
        theta[SHOT] = 1;
        const double g = 1 / (1 + exp(-theta[DECAY]));
        const double alpha = softplus(theta[AMPLITUDE]);
        const double sigma = softplus(theta[NOISE]);

        const double k = softplus(theta[SHOT]);
        for (int t = 0; t < T; t++) {
            const double s = vdi_rng_bernoulli(&rng, 0.015);
            c = s + g * c;
            spikes[i * T + t] = (float)s;
            f[i * T + t] =
                (float)(alpha * c + sigma * sqrt(1 + k * alpha * c) * vdi_rng_normal(&rng));
        }
    }
}

static double correlation(int n, const double *x, const float *y) {
    double sx = 0;
    double sy = 0;
    double xx = 0;
    double yy = 0;
    double xy = 0;
    for (int i = 0; i < n; i++) {
        sx += x[i];
        sy += y[i];
        xx += x[i] * x[i];
        yy += (double)y[i] * y[i];
        xy += x[i] * y[i];
    }
    return (xy - sx * sy / n) / sqrt((xx - sx * sx / n) * (yy - sy * sy / n));
}
static int sorry(const vdi_error *err) {
    fprintf(stderr, "%s: %s\n", err->where, err->message);
    return 1;
}

int main(void) {
    vdi_deepspike_desc desc = VDI__ZERO;
    vdi_deepspike_generative *g = &desc.generative;
    vdi_deepspike_data_desc dd = VDI__ZERO;
    vdi_deepspike_result out = VDI__ZERO;
    vdi_deepspike_progress p;
    vdi_deepspike *net;
    vdi_deepspike_data *data;
    vdi_error err;
    static double probability[CELLS * T];
    simulate();

    g->theta_count = COUNT;
    g->theta_init[DECAY] = 3;
    g->theta_init[AMPLITUDE] = 0;
    g->theta_init[NOISE] = -2;
    g->theta_init[SHOT] = 0;
    g->log_likelihood = log_likelihood;
    desc.layers = 3; /* a small network: 3 convolutions and a head */
    desc.channels[0] = desc.channels[1] = desc.channels[2] = 12;
    desc.width[0] = 31;
    desc.width[1] = 15;
    desc.width[2] = 11;
    desc.train.steps = STEPS;
    desc.train.batch = 8;
    desc.train.samples = 32;
    desc.train.theta_factor = 60;
    desc.train.rate = 3e-3;
    desc.train.schedule.kind = VDI_SCHEDULE_COSINE;
    desc.train.schedule.steps = STEPS;
    desc.train.schedule.last = 0.05;
    if (vdi_deepspike_create(&desc, &net, &err) < 0) return sorry(&err);
    dd.traces = vdi_tensor_2d(f, VDI_F32, CELLS, T);
    if (vdi_deepspike_data_create(net, &dd, &data, &err) < 0) return sorry(&err);

    double bound = 0;
    for (vdi_status status; (status = vdi_deepspike_step(net, data, &p, &err)) != VDI_END;) {
        if (status < 0) return sorry(&err);
        bound += p.bound / (STEPS / 5);
        if (p.step % (STEPS / 5) == 0) {
            printf("step %4d: bound %7.3f nats per bin\n", (int)p.step, bound);
            bound = 0;
        }
    }
    out.probability = probability;
    if (vdi_deepspike_infer(net, data, NULL, &out, &err) < 0) return sorry(&err);
    double r = 0, worst = 0;
    for (int i = 0; i < CELLS; i++) {
        const double *theta = vdi_deepspike_data_theta(data, i);
        r += correlation(T, probability + i * T, spikes + i * T) / CELLS;
        worst = fmax(worst, fabs(softplus(theta[AMPLITUDE]) / softplus(truth[i][AMPLITUDE]) - 1));
    }
    printf("correlation of probability and spikes, bin by bin: %.3f; amplitudes within %.0f %% of "
           "the truth\n",
           r, 100 * worst);

    /* the same, frame by frame */
    const size_t bytes = vdi_deepspike_stream_memsize(net, 1);
    void *memory = malloc(bytes);
    vdi_deepspike_stream *stream;
    if (!memory || vdi_deepspike_stream_init(net, 1, 0, 1, memory, bytes, &stream, &err) < 0)
        return sorry(&err);
    int told = 0, differ = 0;
    for (int t = 0; t < T; t++) {
        float answer;
        if (vdi_deepspike_stream_push(stream, 1, &f[t], &answer))
            differ += (double)answer != probability[told++];
    }
    printf("frame by frame: %d answers, each %d frames late, %d of them other than in the batch\n",
           told, (int)vdi_deepspike_stream_delay(net), differ);
    free(memory);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
    return !(r > 0.6) || differ;
}
