/* examples/oasis.c - spikes out of a noisy calcium trace by OASIS, two ways
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/oasis.c -o oasis -lm -pthread && ./oasis
 *
 * A minute of fluorescence at 30 frames a second is simulated: baseline 2, decay 0.8 s, each spike
 * 1 high, noise 0.25. The deconvolution is told nothing of this. L1 finds the train with the
 * smallest sum that explains all but the noise; it is solved exactly, and shrinks the spikes. L0
 * wants spikes of a least size; it is greedy, and does not shrink. docs/guide/oasis.md tells more.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 1800 };
static double trace[T], truth[T], calcium[T], spikes[T];
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

static void simulate(void) {
    vdi_rng rng = vdi_rng_make(7, 0);
    double c = 0;
    for (int t = 0; t < T; t++) {
        truth[t] = (double)vdi_rng_poisson(&rng, 0.02);
        c = c * exp(-1 / (30 * 0.8)) + truth[t];
        trace[t] = 2 + c + 0.25 * vdi_rng_normal(&rng);
    }
}

/* Correlation with the true spikes in bins of 40 ms, smoothed, and the area under the ROC curve. */
static vdi_score_spikes_result score(void) {
    static double times[T];
    vdi_score_spikes_result s;
    vdi_score_train train = {.frames = T, .fps = 30, .estimate = spikes, .times = times};
    train.spikes = vdi_score_spikes_times(T, 30, truth, times);
    double *work = malloc(vdi_score_spikes_work(1, &train) * sizeof *work);
    need(vdi_score_spikes(1, &train, work, &s, &err));
    free(work);
    return s;
}

static void deconvolve(const char *name, vdi_oasis_penalty penalty) {
    vdi_oasis_desc desc = {.fps = 30, .penalty = penalty};
    vdi_oasis_result r;
    need(vdi_oasis(&desc, VDI_F64, T, trace, NULL, calcium, spikes, &r, &err));
    vdi_score_spikes_result s = score();
    printf("%-4s %6.3f %9.3f %8.3f", name, r.noise, r.baseline, r.tau_decay);
    printf(" %7d %6.2f %6.2f %6.2f\n", (int)r.events, s.r25, s.r160g, s.auc);
}

/* The first second, frame by frame. */
static void show(void) {
    puts("\n    s    trace  calcium  spikes  truth");
    for (int t = 0; t < 30; t++) {
        int length = (int)(20 * fmin(fmax(calcium[t], 0), 3));
        printf("%5.2f %8.2f %8.2f %7.2f", t / 30.0, trace[t], calcium[t], spikes[t]);
        printf(" %6d  ", (int)truth[t]);
        while (length-- > 0)
            putchar('#');
        putchar('\n');
    }
}

int main(void) {
    simulate();
    puts("      noise  baseline  decay s  events    r25  r160g    AUC");
    deconvolve("L1", VDI_OASIS_L1);
    deconvolve("L0", VDI_OASIS_L0);
    show();
    return 0;
}
