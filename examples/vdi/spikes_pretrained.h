/* examples/vdi/spikes_pretrained.h - the network in the box, for the commands of the spikes
 * family */
#ifndef SPIKES_PRETRAINED_H
#define SPIKES_PRETRAINED_H
#include "tool.h"

/* What is inferred for (neurons, frames) traces. The arrays are the caller's; any may be NULL. */
typedef struct spikes_pretrained {
    double *spikes, *deviation, *probability, *denoised, *baseline; /* (neurons, frames) */
    double *grid;    /* (neurons, samples): expected spikes of each 1/60 s */
    int64_t samples; /* spikes_pretrained_samples */
    double *noise, *scale, *count, *unusual; /* (neurons) */
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

/* A network (NULL: the shipped one, which is then the engine's own) with memory for each of the
 * run's threads, for neurons of at most `trials` trials of `frames` frames. NULL with a message. */
typedef struct spikes_engine spikes_engine;
spikes_engine *spikes_engine_open(const run *r, const vdi_pretrained *net, int64_t trials,
                                  int64_t frames, double fps);
/* One neuron: its trials (trials,frames) are read with the statistics of all of them. The arrays of
 * `out` have a row for each trial, its numbers are those of the neuron. */
void spikes_engine_infer(spikes_engine *e, int worker, int64_t trials, const double *traces,
                         const spikes_pretrained *out);
void spikes_engine_close(spikes_engine *e);

#endif
