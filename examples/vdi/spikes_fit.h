/* examples/vdi/spikes_fit.h - networks that learn on a recording's own traces, for the commands of
 * the spikes family */
#ifndef SPIKES_FIT_H
#define SPIKES_FIT_H
#include "spikes.h"

/* Of fit and spine; what a verb has no row for stays zero. */
typedef struct spikes_fit_options {
    double fps, rate, drift, save_every;
    vdi_deepspike_desc net; /* what is given of it */
    int64_t upsample;
    const char *model, *truth, *init, *resume;
} spikes_fit_options;

/* What a fitted network says of (neurons, frames) traces. Any pointer may be NULL; all are the
 * caller's. */
typedef struct spikes_fitted {
    double *spikes, *probability, *denoised; /* (neurons, frames): expected spikes, chance of at
                                                least one, the model's trace */
    double *grid;                            /* (neurons, frames * upsample): expected spikes of
                                                each bin */
    unsigned char *sample;                   /* (samples, neurons, frames * upsample) */
    int64_t samples;                         /* trains of each trace */
    int64_t upsample;                        /* out: bins in a frame */
    bool cells_known; /* out: the traces are as many as the network was fitted on; else every cell
                         has initial parameters */
} spikes_fitted;
/* infer --model FILE: FILE, or the folder of the run that wrote it. DONE, or FAILED with its
 * message printed. `upsample_only`: just tell how many bins a frame has. */
int spikes_fitted_infer(run *r, const char *path, int64_t neurons, int64_t frames,
                        const double *traces, double fps, bool upsample_only, spikes_fitted *out);

/* spikes_tune.c: fit --init pretrained. The network in the box goes on learning on these traces
 * (neurons,frames), and is run over them. */
int spikes_tune_main(run *r, const spikes_fit_options *want, vdi_calcium_model model,
                     const recording *in);
/* what infer --model does with a file of that; `file` is open */
int spikes_tuned_infer(run *r, const vdi_safetensors *file, int64_t neurons, int64_t frames,
                       const double *traces, double fps, spikes_fitted *out);

/* from spikes_fit.c, for both: a bound against steps as trace.csv and trace.svg */
enum { TRACE_STEP, TRACE_BOUND, TRACE_SLEEP, TRACE_RATE, TRACE_COLUMNS };
bool spikes_trace_save(const run *r, double *trace, int64_t rows);

#endif
