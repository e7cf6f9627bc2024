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

/* What a fitted network says of (rows, frames) traces. Any pointer may be NULL; all are the
 * caller's. */
typedef struct spikes_fitted {
    double *spikes, *probability, *denoised; /* (rows, frames): expected spikes, chance of at
                                                least one, the model's trace */
    double *grid;                            /* (rows, frames * upsample): expected spikes of
                                                each bin */
    unsigned char *sample;                   /* (samples, rows, frames * upsample) */
    int64_t samples;                         /* trains of each trace */
    int64_t first, total;                    /* the rows are first ... of so many in all */
    int64_t upsample;                        /* out: bins in a frame */
    bool cells_known; /* out: all rows are as many as the network was fitted on; else every cell
                             has initial parameters */
} spikes_fitted;
/* infer --model FILE: FILE, or the folder of the run that wrote it. DONE, or FAILED with its
 * message printed. `traces` NULL: just tell how many bins a frame has. A network that began as the
 * one in the box becomes *tuned instead, where that is not NULL; it is then the caller's. */
int spikes_fitted_infer(run *r, const char *path, int64_t rows, int64_t frames,
                        const double *traces, double fps, spikes_fitted *out,
                        vdi_pretrained **tuned);

/* spikes_tune.c: fit --init pretrained. The network in the box goes on learning on these traces
 * (neurons,frames), and is run over them. */
int spikes_tune_main(run *r, spikes_fit_options *want, vdi_calcium_model model,
                     const recording *in);
/* the network of a file that it has written; NULL with a message */
vdi_pretrained *spikes_tuned_open(const vdi_safetensors *file, const char *path);

/* from spikes_fit.c, for both: a bound against steps as trace.csv and trace.svg */
enum { TRACE_STEP, TRACE_BOUND, TRACE_SLEEP, TRACE_RATE, TRACE_COLUMNS };
bool spikes_trace_save(const run *r, double *trace, int64_t rows);

#endif
