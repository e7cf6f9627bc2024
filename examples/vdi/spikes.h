/* examples/vdi/spikes.h - the commands of the spikes family, and what its files share */
#ifndef SPIKES_H
#define SPIKES_H
#include "tool.h"

/* ---- traces ---------------------------------------------------------------------------------- */

/* Traces as a verb's argument names them, in memory: (neurons,frames), or (frames,) for one
 * neuron. */
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

/* How a file of traces is to be read. */
typedef struct trace_options {
    bool transpose, suite2p; /* suite2p: the path is a folder of Suite2p's */
    double neuropil;         /* share of Fneu that is taken off */
} trace_options;
/* Traces that are read one by one. */
typedef struct trace_source {
    const char *file;
    int64_t rows, frames;
    int ndim; /* of the shape of what is inferred from them */
    int64_t shape[3];
    int64_t others; /* rows that are no cells (iscell.npy): read as NaN */
    double fps;     /* as the files have it; 0: they do not say */
    /* private */
    char *path, *neuropil_path;
    rows_in traces, neuropil;
    bool has_neuropil;
    double share, *is_cell, *other;
    int64_t skip; /* rows before the first trace */
} trace_source;
bool source_open(const char *path, const trace_options *how, trace_source *s);
bool source_read(trace_source *s, int64_t row, double *out);
void source_close(trace_source *s);

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

/* ---- inference ------------------------------------------------------------------------------- */

typedef struct spikes_infer_options {
    double fps, neuropil;
    int32_t method, dtype;
    const char *model, *truth, *resume, *trials, *suite2p, *shard;
    int64_t grid, samples, report;
    bool transpose;
    vdi_oasis_desc oasis;
    double spike_size;
    bool has_spike_size;
} spikes_infer_options;

/* Neurons, each with one row of the traces or more (its trials). */
typedef struct neuron_list {
    int64_t count, most;     /* neurons; most rows of one */
    int64_t *begin, *member; /* rows of neuron i: member[begin[i]] ... member[begin[i + 1] - 1] */
    double *name;            /* (count): row, or the number that --trials gives */
    int64_t rows, *place;    /* rows of all of them; where a row of the traces is written */
} neuron_list;

/* of params.csv; of the raster in the report, and the rate (Hz) that is its full scale */
enum { INFER_COLUMNS = 12, PICTURE = 480, PICTURE_RATE = 100 };
/* Frames that a method fills for the rows of a part; those that it has not are NULL. */
typedef struct inference_part {
    int64_t at, count, rows, capacity; /* neurons [at, at + count); rows of them, at most */
    int64_t *row;                      /* (rows): in the file of traces */
    double *traces;                    /* (rows,frames), in */
    double *spikes, *probability, *denoised, *deviation; /* (rows,frames) */
    double *grid;                                        /* (rows,grid_bins) */
    unsigned char *sample; /* (S,rows,frames * fine): of methods that draw trains themselves */
} inference_part;

/* What a method finds. */
typedef struct inference {
    trace_source *in;
    double fps;
    neuron_list neurons;
    inference_part part;
    int64_t S, grid_bins;
    int64_t fine;                       /* bins in a frame, of a fitted network */
    int64_t together;                   /* neurons of a part; 0: as it suits threads and memory */
    bool no_probability, has_deviation; /* it is but 1 where there is an event */
    bool trains;                        /* it draws them itself */
    const char *unit;                   /* of spikes */
    const char *columns[INFER_COLUMNS]; /* of params.csv, after "neuron" */
    int column_count;
    /* of each neuron */
    double *values;   /* (neurons,column_count) */
    double *nothing;  /* 1 where nothing can be said */
    double *total;    /* of spikes */
    double *unusual;  /* of its statistics; NaN where a method has none */
    double *quality;  /* (neurons,quality_columns()) */
    uint8_t *picture; /* (neurons,PICTURE) */
    int64_t empty;
    const char *folder; /* of the whole run, to be resumed */
    /* files, for the report to read from */
    rows_out spikes_file, probability_file, denoised_file, deviation_file, grid_file, samples_file;
    void *own; /* of the method */
} inference;

/* A method: checks and columns; a part; its memory. */
typedef struct spikes_method {
    const char *name;
    int (*begin)(run *r, const spikes_infer_options *want, inference *q);
    int (*part)(run *r, const spikes_infer_options *want, inference *q);
    void (*end)(inference *q);
} spikes_method;
extern const char *const spikes_method_words[];
const spikes_method *spikes_method_of(const spikes_infer_options *want);

/* spikes_report.c: report.html, `shown` neurons drawn; truth: counts or NULL. */
bool spikes_report(const run *r, inference *q, rows_in *truth, int64_t shown, const char *method);

/* spikes_infer.c: the report, and quality.csv, of a run that has left spikes.npy, probability.npy
 * and denoised.npy for these traces */
bool spikes_report_run(run *r, const recording *in, const char *method);

#endif
