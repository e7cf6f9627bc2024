/* examples/vdi/spikes_simulate.c - vdi spikes simulate: fluorescence from spikes, by the models of
 * the library */
#include "spikes.h"

enum { MOST_RATES = 16 };

typedef struct simulate_options {
    int64_t cells, traces, frames;
    double fps, drift;
    const char *model, *rate;
} simulate_options;

/* What is simulated; arrays (rows,streams,T). */
typedef struct simulation {
    vdi_calcium_desc desc;
    double rate[MOST_RATES];
    int rates, parameters;
    int64_t cells, rows, streams;
    double *raw; /* (cells,parameters) */
    double *traces, *spikes, *clean, total;
} simulation;

/* Parameters of each cell in the units of the equations. */
static bool cells_save(const run *r, const simulation *s) {
    int count;
    const vdi_calcium_param *p = vdi_calcium_params(s->desc.model, &count);
    double *list = doubles((count + 1) * s->cells);
    vdi_named_tensor column[VDI_CALCIUM_PARAMS + 1];
    column[0].name = "cell";
    column[0].tensor = vdi_tensor_1d(list, VDI_F64, s->cells);
    for (int64_t i = 0; i < s->cells; i++)
        list[i] = (double)i;
    for (int k = 0; k < count; k++) {
        double *v = list + (k + 1) * s->cells;
        for (int64_t i = 0; i < s->cells; i++)
            v[i] = vdi_calcium_natural(p[k].map, s->raw[i * count + k]);
        column[k + 1].name = p[k].name;
        column[k + 1].tensor = vdi_tensor_1d(v, VDI_F64, s->cells);
    }
    const bool ok = save_csv(r, "params.csv", column, count + 1);
    free(list);
    return ok;
}

/* A trace of a cell. */
static bool simulate_one(const run *r, const simulate_options *want, simulation *s, int64_t cell,
                         int64_t k) {
    vdi_error err = {0};
    const int64_t i = cell * want->traces + k, T = want->frames, block = s->streams * T;
    const double fps = want->fps;
    double *spikes = s->spikes + i * block;
    vdi_rng rng = vdi_rng_make(r->seed, (uint64_t)(2 * i + 1));
    for (int64_t t = 0; t < block; t++) {
        /* at most one spike a frame of 1/60 s, as the published simulations have it; more where
         * frames are longer */
        const double rate = s->rate[(k + t / T) % s->rates];
        spikes[t] = fps >= 30 ? vdi_rng_bernoulli(&rng, rate / fps)
                              : (double)vdi_rng_poisson(&rng, rate / fps);
        s->total += spikes[t];
    }
    if (vdi_calcium_sample(&s->desc, s->raw + cell * s->parameters, VDI_F64, T, spikes,
                           want->drift / sqrt(fps), &rng, s->clean + i * block,
                           s->traces + i * block, &err) >= 0)
        return true;
    (void)fail_error(&err, NULL);
    return false;
}

static int simulate_all(run *r, const simulate_options *want, simulation *s) {
    const int64_t count = s->rows * s->streams * want->frames;
    s->raw = doubles(s->cells * s->parameters);
    s->traces = doubles(count);
    s->spikes = doubles(count);
    s->clean = doubles(count);
    for (int64_t c = 0; c < s->cells; c++) {
        vdi_rng draw = vdi_rng_make(r->seed, (uint64_t)(2 * c));
        vdi_calcium_draw(&s->desc, &draw, s->raw + c * s->parameters);
        for (int64_t k = 0; k < want->traces; k++)
            if (!simulate_one(r, want, s, c, k)) return FAILED;
        if (interrupted()) return INTERRUPTED;
    }
    return DONE;
}

static int rates_read(const char *text, simulation *s) {
    s->rates = numbers_read(text, s->rate, MOST_RATES);
    bool ok = s->rates > 0;
    for (int k = 0; k < s->rates; k++)
        ok = ok && s->rate[k] >= 0 && s->rate[k] <= 1000;
    if (ok) return DONE;
    return usage("--rate: expected up to %d rates of 0 to 1000 Hz, separated by commas, got '%s'",
                 MOST_RATES, text);
}

static bool simulation_save(const run *r, const simulate_options *want, const simulation *s) {
    int64_t shape[3] = {s->rows, s->streams, want->frames};
    if (s->streams == 1) shape[1] = want->frames;
    const int ndim = s->streams == 1 ? 2 : 3;
    return array_save(r, "traces", ndim, shape, s->traces) &&
           array_save(r, "spikes", ndim, shape, s->spikes) &&
           array_save(r, "clean", ndim, shape, s->clean) && cells_save(r, s);
}

static int simulate_main(run *r, void *options) {
    static const char *const keys[] = {"cells", "traces", "frames", "spikes", "spikes_per_second"};
    const simulate_options *want = (const simulate_options *)options;
    simulation s = {0};
    s.desc = vdi_calcium_desc_defaults();
    s.desc.bin = 1 / want->fps;
    s.cells = want->cells;
    s.rows = want->cells * want->traces;
    if (!calcium_named(want->model, &s.desc.model)) return USAGE;
    if (s.rows > 1000000000 / want->frames) {
        return usage("--cells, --traces and --frames: expected no more than 10^9 numbers, got "
                     "%lld, %lld and %lld",
                     (long long)want->cells, (long long)want->traces, (long long)want->frames);
    }
    int code = rates_read(want->rate, &s);
    if (code != DONE) return code;
    (void)vdi_calcium_params(s.desc.model, &s.parameters);
    s.streams = vdi_calcium_streams(s.desc.model);
    code = simulate_all(r, want, &s);
    if (code == DONE && !(run_open_out(r) && simulation_save(r, want, &s))) code = FAILED;
    const double frames = (double)(s.rows * s.streams * want->frames);
    const double values[] = {(double)s.cells, (double)s.rows, (double)want->frames, s.total,
                             s.total * want->fps / frames};
    if (code == DONE) print_results(r, keys, values, 5);
    free(s.raw);
    free(s.traces);
    free(s.spikes);
    free(s.clean);
    return code;
}

static const option simulate_rows[] = {
    OPTION_TEXT(simulate_options, model, "model", "NAME", "linear", CALCIUM_HELP),
    OPTION("cells", "N",
           VDI_FIELD_INT(simulate_options, cells, 100, 1, 1000000,
                         "cells, each with parameters drawn from the published ranges")),
    OPTION("traces", "N",
           VDI_FIELD_INT(simulate_options, traces, 3, 1, 1000000, "traces of each cell")),
    OPTION("frames", "N",
           VDI_FIELD_INT(simulate_options, frames, 10000, 1, 100000000, "frames of a trace")),
    OPTION("fps", "F",
           VDI_FIELD_REAL_FLAGS(simulate_options, fps, 60, 0, 1e6, VDI_FIELD_ABOVE,
                                "frames per second; one bin of the model is one frame")),
    OPTION_TEXT(simulate_options, rate, "rate", "HZ,...", "0.7,1.0,1.2",
                "firing rates of a cell's traces, in turn"),
    OPTION("drift", "SD",
           VDI_FIELD_REAL_FLAGS(simulate_options, drift, 0, 0, 1e6, VDI_FIELD_BELOW,
                                "standard deviation of the baseline's walk after one second")),
};
const command spikes_simulate_command = {
    .family = "spikes",
    .verb = "simulate",
    .arguments = "",
    .out = true,
    .summary =
        "Simulate fluorescence from spikes. Writes traces.npy, spikes.npy (counts per frame) and "
        "clean.npy (no noise, no drift), each (cells x traces, frames), or (.., 2, frames) for the "
        "spine model (dendrite and spine; back-propagating and synaptic), and params.csv, the "
        "parameters of each cell in the units of the equations (docs/guide/calcium.md).",
    .example = "vdi spikes simulate --model linear --cells 10 --out sim",
    COMMAND_OPTIONS(simulate_rows),
    .size = sizeof(simulate_options),
    .main = simulate_main,
};
