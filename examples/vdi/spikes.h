/* examples/vdi/spikes.h - the commands of the spikes family, and what its files share */
#ifndef SPIKES_H
#define SPIKES_H
#include "tool.h"

/* Traces as a verb's argument names them: (neurons,frames), or (frames,) for one neuron. */
typedef struct recording {
    const char *file;
    vdi_tensor y; /* float64, of the shape of the file */
    int64_t neurons, frames;
    double fps;
} recording;
/* `least`: fewest frames that make sense */
bool traces_load(const char *path, int64_t least, recording *o);
/* (neurons,frames) whatever the shape of the file */
vdi_tensor traces_matrix(const recording *o);
/* a model of fluorescence by its name; else a message */
bool calcium_named(const char *name, vdi_calcium_model *model);
#define CALCIUM_WORD(upper, lower) " " #lower
#define CALCIUM_HELP "model of the fluorescence (linear is ar1):" VDI_CALCIUM_LIST(CALCIUM_WORD)
/* has --fps been given? else a message */
bool fps_given(double fps);
#define FPS_OPTION(type)                                                                        \
    {                                                                                           \
        .name = "fps", .value = "F",                                                            \
        .own = VDI_FIELD_REAL_FLAGS(type, fps, 0, 0, 1e6, VDI_FIELD_REQUIRED | VDI_FIELD_ABOVE, \
                                    "frames per second")                                        \
    }

typedef struct spikes_infer_options {
    double fps;
    int32_t method;
    const char *model, *truth, *resume;
    int64_t grid, samples, report;
    vdi_oasis_desc oasis;
    double spike_size;
    bool has_spike_size;
} spikes_infer_options;

/* What a method found; all arrays (neurons,frames). */
typedef struct inference {
    const recording *in;
    double *spikes, *probability, *denoised;
    double *samples, *grid; /* (S,neurons,frames) counts; (neurons,grid_bins); NULL if not asked
                               for */
    int64_t S, grid_bins;
    int64_t fine;            /* bins in a frame, of a fitted network */
    double *nothing;         /* (neurons): 1 where nothing can be said */
    bool at_once;            /* the method wants all traces together */
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
                   const char *method);

#endif
