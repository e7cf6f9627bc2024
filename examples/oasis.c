/* OASIS in one call: spikes out of a noisy calcium trace, three ways.
 *
 *     cc -O2 -I.. oasis.c -o oasis -lm -lpthread && ./oasis        (-I: the folder of vdi.h)
 *
 * A minute of fluorescence at 30 frames a second is simulated: baseline 2, decay 0.8 s, every spike
 * 1 high, noise 0.25. Nothing of this is told to the deconvolution. L1 finds the sparsest train, in
 * the sum of its spikes, that explains all but the noise; it is convex and solved exactly, and
 * shrinks the spikes. L0 wants spikes of a least size; it is greedy, and does not shrink.
 */
#define VDI_OASIS_IMPLEMENTATION
#define VDI_SCORE_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

enum { T = 1800 };

int main(void) {
    static double trace[T], truth[T], calcium[T], spikes[T], times[T];
    double c = 0, work[4 * 1500 + 1];
    vdi_rng rng = vdi_rng_make(7, 0);
    for (int t = 0; t < T; t++) {
        truth[t] = (double)vdi_rng_poisson(&rng, 0.02);
        c = c * exp(-1 / (30 * 0.8)) + truth[t];
        trace[t] = 2 + c + 0.25 * vdi_rng_normal(&rng);
    }
    static const char *const name[3] = {"L1, all estimated", "L0, all estimated",
                                        "L0, spikes of at least 0.5"};
    puts("                              noise  baseline  decay s  lambda  s_min  events   r25  "
         "r160g   AUC");
    for (int i = 0; i < 3; i++) {
        vdi_oasis_desc desc = vdi_oasis_desc_defaults();
        vdi_oasis_result r;
        vdi_score_spikes_result s;
        vdi_score_train trial;
        vdi_error err;
        desc.fps = 30;
        desc.penalty = i ? VDI_OASIS_L0 : VDI_OASIS_L1;
        desc.s_min = i == 2 ? 0.5 : 0;
        if (vdi_oasis(&desc, VDI_F64, T, trace, NULL, calcium, spikes, &r, &err) < 0) {
            puts(err.message);
            return 1;
        }
        trial.frames = T;
        trial.fps = 30;
        trial.estimate = spikes;
        trial.times = times;
        trial.spikes = vdi_score_spikes_times(T, 30, truth, times);
        if (vdi_score_spikes(1, &trial, work, &s, &err) < 0) {
            puts(err.message);
            return 1;
        }
        printf("%-28s %6.3f %9.3f %8.3f %7.3f %6.3f %7d %5.2f %6.2f %5.2f\n", name[i], r.noise,
               r.baseline, r.tau_decay, r.lambda, r.s_min, (int)r.events, s.r25, s.r160g, s.auc);
    }
    puts("\n    s    trace  calcium   spikes  truth                                        (L0, at "
         "least 0.5)");
    for (int t = 0; t < 60; t++) {
        const int bar = (int)(20 * (calcium[t] > 0 ? calcium[t] : 0));
        printf("%5.2f %8.2f %8.2f %8.2f %6d  %.*s\n", t / 30.0, trace[t], calcium[t], spikes[t],
               (int)truth[t], bar < 60 ? bar : 60,
               "############################################################");
    }
    return 0;
}
