/* examples/vdi/spikes.h - the commands of the spikes family, and what its files share */
#ifndef SPIKES_H
#define SPIKES_H
#include "tool.h"

extern const command spikes_simulate_command, spikes_infer_command, spikes_score_command;
extern const command spikes_fit_command, spikes_spine_command; /* spikes_fit.c */

/* Traces as a verb's argument names them: (neurons,frames), or (frames,) for one neuron. */
typedef struct traces {
    const char *file;
    vdi_tensor y; /* float64 */
    int64_t neurons, frames;
    double fps;
} traces;
bool traces_load(run *r, const char *path, traces *o);
/* The frame rate of --fps, which has no default; false with a message. */
bool fps_read(run *r, double *fps);

/* What a method found; all arrays (neurons,frames). */
typedef struct inference {
    const traces *in;
    double *spikes, *probability, *denoised;
    double *samples, *grid; /* (S,neurons,frames) counts; (neurons,grid_bins); NULL if not asked
                               for */
    int64_t S, grid_bins;
    const char *unit;        /* of spikes */
    const char *columns[12]; /* of params.csv, after "neuron" */
    double *values;          /* (neurons, column_count) */
    int column_count;
    int64_t empty;       /* neurons of which nothing can be said: rows of NaN */
    bool no_probability; /* it is but 1 where there is an event */
} inference;

/* spikes_report.c: report.html of the first `shown` neurons; truth (neurons,frames) counts or
 * NULL. */
bool spikes_report(const run *r, const inference *q, const double *truth, int64_t shown,
                   const char *method, vdi_error *err);

#endif
