/* examples/vdi/spikes_pretrained.h - the network in the box, for the commands of the spikes
 * family */
#ifndef SPIKES_PRETRAINED_H
#define SPIKES_PRETRAINED_H
#include "tool.h"

/* What is inferred for (neurons, frames) traces. The arrays are the caller's; any may be NULL. */
typedef struct spikes_pretrained {
    double *spikes, *probability, *denoised, *baseline; /* (neurons, frames) */
    double *grid;                                       /* (neurons, samples): expected spikes of
                                                           each 1/60 s */
    int64_t samples;                                    /* spikes_pretrained_samples */
    double *noise, *scale, *count;                      /* (neurons) */
    double *nothing; /* (neurons): 1 for one without a single number; its results are NaN */
} spikes_pretrained;

/* Samples of the 60 Hz grid; -1 if frames or fps make no sense. */
int64_t spikes_pretrained_samples(int64_t frames, double fps);
/* Run the shipped network over every trace, neurons spread over the run's threads. DONE, or FAILED
 * with its message printed. */
int spikes_pretrained_infer(run *r, int64_t neurons, int64_t frames, const double *traces,
                            double fps, spikes_pretrained *out);
/* The shipped network itself, to go on from (fit --init pretrained). NULL with a message if memory
 * is out. */
vdi_pretrained *spikes_pretrained_network(void);

#endif
