/* examples/vdi/spikes.c - vdi spikes simulate | infer | score (fit and spine are in
 * spikes_fit.c) */
#include "spikes.h"
#include "spikes_fit.h"
#include "spikes_pretrained.h"

/* ---- infer --------------------------------------------------------------------------------------
 * A method fills an inference; the arrays exist. DONE, or its message is printed. */

typedef struct oasis_job {
    const run *r;
    inference *q;
    vdi_oasis_desc desc;
    double size;
    unsigned char *empty;
} oasis_job;

enum { OASIS_COLUMNS = 8 };

static void oasis_one(int64_t i, int worker, void *user) {
    const oasis_job *j = (const oasis_job *)user;
    const int64_t n = j->q->in->frames;
    const double *y = (const double *)j->q->in->y.data + i * n;
    double *s = j->q->spikes + i * n;
    double *p = j->q->probability + i * n;
    double *c = j->q->denoised + i * n;
    double *v = j->q->values + i * OASIS_COLUMNS;
    vdi_oasis_result q;
    (void)worker;
    if (vdi_oasis(&j->desc, VDI_F64, n, y, NULL, c, s, &q, NULL) < 0) {
        j->empty[i] = 1;
        for (int64_t t = 0; t < n; t++)
            s[t] = p[t] = c[t] = NAN;
        for (int k = 0; k < OASIS_COLUMNS; k++)
            v[k] = NAN;
        return;
    }
    for (int64_t t = 0; t < n; t++) {
        p[t] = s[t] > 0;
        s[t] /= j->size;
        c[t] += q.baseline;
    }
    v[0] = q.baseline;
    v[1] = q.noise;
    v[2] = q.tau_decay;
    v[3] = q.tau_rise;
    v[4] = q.lambda;
    v[5] = q.s_min;
    v[6] = (double)q.events;
    v[7] = (double)q.bridged;
}

static int infer_oasis(run *r, const spikes_infer_options *want, int order, inference *q) {
    static const char *const columns[OASIS_COLUMNS] = {"baseline", "noise",         "tau_decay",
                                                       "tau_rise", "lambda",        "s_min",
                                                       "events",   "bridged_frames"};
    oasis_job j = {0};
    vdi_error err = {0};
    j.r = r;
    j.q = q;
    if (order == 1 && want->oasis.tau_rise > 0)
        return usage("--tau-r is for --method oasis-ar2: order 1 has no rise");
    j.desc = want->oasis;
    j.desc.fps = q->in->fps;
    j.desc.order = order;
    vdi_fields_fill(vdi_oasis_desc_fields(), &j.desc);
    j.desc.has_lambda = want->oasis.has_lambda; /* else it is found from the noise */
    j.desc.has_baseline = want->oasis.has_baseline;
    j.desc.allocator = vdi_allocator_defaults(NULL);
    j.size = want->has_spike_size ? want->spike_size : 1;
    if (vdi_oasis_desc_check(&j.desc, &err) < 0) return usage("%s", err.message);
    memcpy(q->columns, columns, sizeof columns);
    q->column_count = OASIS_COLUMNS;
    q->values = doubles(q->in->neurons * OASIS_COLUMNS);
    q->unit = want->has_spike_size ? "spikes per frame" : "units of the trace";
    q->no_probability = true;
    if (q->S || q->grid) {
        return usage(
            "--samples and --grid are for networks: OASIS has neither trains nor a finer grid");
    }
    j.empty = (unsigned char *)calloc((size_t)q->in->neurons, 1);
    if (!j.empty) return fail("out of memory");
    /* between chunks there is time for progress and Ctrl-C */
    const int64_t chunk = 16 * (int64_t)vdi_pool_threads(r->pool);
    int64_t at = 0;
    for (; at < q->in->neurons && !interrupted(); at += chunk) {
        inference part = *q;
        recording shifted = *q->in;
        oasis_job some = j;
        const int64_t n = q->in->frames;
        const int64_t count = q->in->neurons - at < chunk ? q->in->neurons - at : chunk;
        shifted.y.data = (double *)q->in->y.data + at * n;
        part.in = &shifted;
        part.spikes += at * n;
        part.probability += at * n;
        part.denoised += at * n;
        part.values += at * OASIS_COLUMNS;
        some.q = &part;
        some.empty += at;
        vdi_pool_run(r->pool, count, oasis_one, &some);
        progress(r, at + count, q->in->neurons, "neurons", (double)(at + count));
    }
    progress_end(r);
    for (int64_t i = 0; i < q->in->neurons; i++)
        q->empty += j.empty[i];
    free(j.empty);
    return at < q->in->neurons ? INTERRUPTED : DONE;
}

static int infer_oasis1(run *r, const spikes_infer_options *want, inference *q) {
    return infer_oasis(r, want, 1, q);
}

static int infer_oasis2(run *r, const spikes_infer_options *want, inference *q) {
    return infer_oasis(r, want, 2, q);
}

/* Counts per frame drawn from expected ones, independently: all that a network without an account
 * of pairs can say of trains. */
static void samples_draw(const run *r, inference *q) {
    const int64_t count = q->in->neurons * q->in->frames;
    for (int64_t s = 0; s < q->S; s++) {
        vdi_rng rng = vdi_rng_make(r->seed, (uint64_t)s);
        for (int64_t i = 0; i < count; i++) {
            q->samples[s * count + i] =
                q->spikes[i] == q->spikes[i] ? (double)vdi_rng_poisson(&rng, q->spikes[i]) : NAN;
        }
    }
}

static int infer_pretrained(run *r, const spikes_infer_options *want, inference *q) {
    static const char *const columns[] = {"noise", "scale", "expected_spikes"};
    const int64_t neurons = q->in->neurons, n = q->in->frames;
    spikes_pretrained p = {0};
    double *noise = doubles(neurons), *scale = doubles(neurons), *count = doubles(neurons);
    p.spikes = q->spikes;
    p.probability = q->probability;
    p.denoised = q->denoised;
    p.noise = noise;
    p.scale = scale;
    p.count = count;
    if (want->grid) {
        q->grid_bins = spikes_pretrained_samples(n, q->in->fps);
        p.grid = q->grid = q->grid_bins > 0 ? doubles(neurons * q->grid_bins) : NULL;
    }
    int code =
        spikes_pretrained_infer(r, neurons, n, (const double *)q->in->y.data, q->in->fps, &p);
    memcpy(q->columns, columns, sizeof columns);
    q->column_count = 3;
    q->values = doubles(neurons * 3);
    for (int64_t i = 0; i < neurons; i++) {
        q->values[3 * i] = noise[i];
        q->values[3 * i + 1] = scale[i];
        q->values[3 * i + 2] = count[i];
    }
    q->unit = "expected spikes per frame";
    q->empty = p.empty;
    if (code == DONE && q->S) samples_draw(r, q);
    free(noise);
    free(scale);
    free(count);
    return code;
}

static int infer_fitted(run *r, const spikes_infer_options *want, inference *q) {
    static const char *const columns[] = {"expected_spikes"};
    const char *file = want->model;
    const int64_t neurons = q->in->neurons, n = q->in->frames;
    spikes_fitted f = {0};
    int code = spikes_fitted_infer(r, file, neurons, n, (const double *)q->in->y.data, q->in->fps,
                                   true, &f);
    if (code != DONE) return code;
    const int64_t fine = f.upsample > 0 ? f.upsample : 1, bins = n * fine;
    f.spikes = q->spikes;
    f.probability = q->probability;
    f.denoised = q->denoised;
    f.samples = q->S;
    if (want->grid) {
        q->grid_bins = bins;
        f.grid = q->grid = doubles(neurons * bins);
    }
    if (q->S && !(f.sample = (unsigned char *)malloc((size_t)(q->S * neurons * bins))))
        return fail("out of memory");
    code = spikes_fitted_infer(r, file, neurons, n, (const double *)q->in->y.data, q->in->fps,
                               false, &f);
    for (int64_t i = 0; code == DONE && i < q->S * neurons * n; i++) {
        for (int64_t k = 0; k < fine; k++)
            q->samples[i] += f.sample[i * fine + k];
    }
    free(f.sample);
    q->columns[0] = columns[0];
    q->column_count = 1;
    q->values = doubles(neurons);
    for (int64_t i = 0; i < neurons * n; i++)
        q->values[i / n] += q->spikes[i];
    q->unit = "expected spikes per frame";
    return code;
}

/* A row each: its name, and the function. */
#define METHODS(row) \
    row("pretrained", infer_pretrained) row("oasis", infer_oasis1) row("oasis-ar2", infer_oasis2)

#define METHOD_ROW(name, function) {name, function},
#define METHOD_WORD(name, function) name,
static const struct {
    const char *name;
    int (*infer)(run *r, const spikes_infer_options *want, inference *q);
} methods[] = {METHODS(METHOD_ROW)};
static const char *const method_words[] = {METHODS(METHOD_WORD) NULL};

static vdi_status params_write(const char *path, const void *what, vdi_error *err) {
    const inference *q = (const inference *)what;
    const int64_t neurons = q->in->neurons;
    double *index = doubles(neurons), *list = doubles(neurons * q->column_count);
    vdi_named_tensor column[13];
    column[0].name = "neuron";
    column[0].tensor = vdi_tensor_1d(index, VDI_F64, neurons);
    for (int64_t i = 0; i < neurons; i++)
        index[i] = (double)i;
    for (int k = 0; k < q->column_count; k++) {
        for (int64_t i = 0; i < neurons; i++)
            list[k * neurons + i] = q->values[i * q->column_count + k];
        column[k + 1].name = q->columns[k];
        column[k + 1].tensor = vdi_tensor_1d(list + k * neurons, VDI_F64, neurons);
    }
    vdi_status status = vdi_csv_save(path, column, q->column_count + 1, err);
    free(index);
    free(list);
    return status;
}

static int infer_main(run *r, void *options) {
    const spikes_infer_options *want = (const spikes_infer_options *)options;
    recording in;
    inference q = {0};
    vdi_error err = {0};
    vdi_tensor truth;
    const char *method = methods[want->method].name;
    const char *truth_file = want->truth;
    const char *model = want->model;
    truth.data = NULL;
    in.fps = want->fps;
    q.S = want->samples;
    if (!fps_given(in.fps)) return USAGE;
    if (model && want->method > 0)
        return usage("--model is for networks, --method %s has none", method);
    if (!traces_load(r->argument[0], 1, &in)) return FAILED;
    const int64_t count = in.neurons * in.frames;
    q.in = &in;
    q.spikes = doubles(count);
    q.probability = doubles(count);
    q.denoised = doubles(count);
    if (q.S) q.samples = doubles(q.S * count);
    if (truth_file) {
        if (!array_load(truth_file, &truth)) return FAILED;
        if (vdi_tensor_count(truth) != count) {
            return fail("expected as many counts as there are frames, %lld, got %lld, in %s",
                        (long long)count, (long long)vdi_tensor_count(truth), truth_file);
        }
    }
    int code = model ? infer_fitted(r, want, &q) : methods[want->method].infer(r, want, &q);
    if (code == DONE && !run_open_out(r)) code = FAILED;
    if (code == DONE) {
        int64_t shape[3] = {q.S, in.y.shape[0], in.frames}, fine[2] = {in.neurons, q.grid_bins};
        char *params = path_join(r->out, "params.csv");
        if (in.y.ndim == 1) shape[1] = in.frames; /* the shape of the input */
        bool ok = array_save(r, "spikes", in.y.ndim, in.y.shape, q.spikes) &&
                  array_save(r, "probability", in.y.ndim, in.y.shape, q.probability) &&
                  array_save(r, "denoised", in.y.ndim, in.y.shape, q.denoised);
        if (ok && q.S) ok = array_save(r, "samples", in.y.ndim + 1, shape, q.samples);
        if (ok && q.grid)
            ok = array_save(r, "grid", in.y.ndim, in.y.ndim == 2 ? fine : fine + 1, q.grid);
        if (ok && !save_atomically(params, params_write, &q, &err)) {
            ok = false;
            (void)fail_error(&err, params);
        }
        if (ok) {
            ok = spikes_report(r, &q, (const double *)truth.data, want->report,
                               model ? model : method);
        }
        free(params);
        if (!ok) code = FAILED;
    }
    if (code == DONE) {
        static const char *const keys[] = {"neurons", "frames", "spikes", "spikes_per_second",
                                           "empty"};
        double sum = 0;
        for (int64_t i = 0; i < count; i++)
            if (q.spikes[i] == q.spikes[i]) sum += q.spikes[i];
        double seconds = (double)(in.neurons - q.empty) * (double)in.frames / in.fps;
        double values[] = {(double)in.neurons, (double)in.frames, sum,
                           seconds > 0 ? sum / seconds : NAN, (double)q.empty};
        if (q.empty && !r->quiet) {
            fprintf(stderr,
                    "vdi: %lld of %lld traces hold too few numbers or are constant; their results "
                    "are NaN\n",
                    (long long)q.empty, (long long)in.neurons);
        }
        print_results(r, keys, values, 5);
    }
    if (truth.data) vdi_tensor_free(NULL, &truth);
    free(q.spikes);
    free(q.probability);
    free(q.denoised);
    free(q.samples);
    free(q.grid);
    free(q.values);
    vdi_tensor_free(NULL, &in.y);
    return code;
}

/* ---- score ----------------------------------------------------------------------------------- */

typedef struct score_options {
    double fps;
    bool one_neuron;
} score_options;

static int score_main(run *r, void *options) {
    const score_options *want = (const score_options *)options;
    recording est, truth;
    vdi_error err = {0};
    const double fps = want->fps;
    if (!fps_given(fps)) return USAGE;
    if (!traces_load(r->argument[0], 1, &est) || !traces_load(r->argument[1], 0, &truth))
        return FAILED;
    const bool same = vdi_tensor_same_shape(est.y, truth.y);
    const bool times = !same && est.neurons == 1 && truth.y.ndim == 1;
    const bool one = want->one_neuron;
    if (!same && !times) {
        char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
        return fail("expected counts per frame of shape %s (or, for one neuron, its spike times in "
                    "seconds), got %s, in %s",
                    vdi_tensor_shape_text(est.y, a), vdi_tensor_shape_text(truth.y, b),
                    r->argument[1]);
    }
    vdi_score_train *trial = (vdi_score_train *)calloc((size_t)est.neurons, sizeof *trial);
    if (!trial) return fail("out of memory");
    for (int64_t i = 0; i < est.neurons; i++) {
        const double *counts = (const double *)truth.y.data + i * est.frames;
        trial[i].frames = est.frames;
        trial[i].fps = fps;
        trial[i].estimate = (const double *)est.y.data + i * est.frames;
        trial[i].times = counts;
        trial[i].spikes = vdi_tensor_count(truth.y);
        if (times) continue;
        double *t = doubles(vdi_score_spikes_times(est.frames, fps, counts, NULL));
        trial[i].spikes = vdi_score_spikes_times(est.frames, fps, counts, t);
        trial[i].times = t;
    }
    const int64_t units = one ? 1 : est.neurons, each = one ? est.neurons : 1;
    double sum[4] = {0};
    double seen[4] = {0};
    double expected = 0;
    double spikes = 0;
    int64_t silent = 0;
    double *work = doubles((int64_t)vdi_score_spikes_work(each, trial));
    int code = DONE;
    for (int64_t i = 0; code == DONE && i < units; i++) {
        vdi_score_spikes_result s;
        if (vdi_score_spikes(each, trial + i * each, work, &s, &err) < 0) {
            code = fail_error(&err, r->argument[0]);
            break;
        }
        const double v[4] = {s.r25, s.r40g, s.r160g, s.auc};
        for (int k = 0; k < 4; k++) {
            if (v[k] == v[k]) {
                sum[k] += v[k];
                seen[k]++;
            }
        }
        silent += s.spikes == 0;
        expected += s.expected;
        spikes += (double)s.spikes;
    }
    static const char *const keys[] = {"r25",
                                       "r40g",
                                       "r160g",
                                       "auc",
                                       "neurons",
                                       "neurons_without_spikes",
                                       "estimated_spikes",
                                       "true_spikes"};
    double values[8];
    for (int k = 0; k < 4; k++)
        values[k] = seen[k] > 0 ? sum[k] / seen[k] : NAN;
    values[4] = (double)units;
    values[5] = (double)silent;
    values[6] = expected;
    values[7] = spikes;
    if (code == DONE) print_results(r, keys, values, 8);
    for (int64_t i = 0; i < est.neurons && !times; i++) {
        double *t;
        memcpy(&t, &trial[i].times, sizeof t);
        free(t);
    }
    free(trial);
    free(work);
    vdi_tensor_free(NULL, &est.y);
    vdi_tensor_free(NULL, &truth.y);
    return code;
}

/* ---- simulate -------------------------------------------------------------------------------- */

typedef struct cell_table {
    vdi_calcium_model model;
    const double *raw; /* (cells, P) */
    int64_t cells;
} cell_table;
static vdi_status cells_write(const char *path, const void *what, vdi_error *err) {
    const cell_table *c = (const cell_table *)what;
    int count;
    const vdi_calcium_param *p = vdi_calcium_params(c->model, &count);
    double *list = doubles((count + 1) * c->cells);
    vdi_named_tensor column[VDI_CALCIUM_PARAMS + 1];
    column[0].name = "cell";
    column[0].tensor = vdi_tensor_1d(list, VDI_F64, c->cells);
    for (int64_t i = 0; i < c->cells; i++)
        list[i] = (double)i;
    for (int k = 0; k < count; k++) {
        double *v = list + (k + 1) * c->cells;
        for (int64_t i = 0; i < c->cells; i++)
            v[i] = vdi_calcium_natural(p[k].map, c->raw[i * count + k]);
        column[k + 1].name = p[k].name;
        column[k + 1].tensor = vdi_tensor_1d(v, VDI_F64, c->cells);
    }
    vdi_status status = vdi_csv_save(path, column, count + 1, err);
    free(list);
    return status;
}

typedef struct simulate_options {
    int64_t cells, traces, frames;
    double fps, drift;
    const char *model, *rate;
} simulate_options;

static int simulate_main(run *r, void *options) {
    const simulate_options *want = (const simulate_options *)options;
    vdi_calcium_desc desc = vdi_calcium_desc_defaults();
    vdi_error err = {0};
    const int64_t cells = want->cells;
    const int64_t each = want->traces;
    const int64_t T = want->frames;
    const int64_t rows = cells * each;
    const double fps = want->fps, walk = want->drift;
    double rates[16];
    int P = 0;
    if (!calcium_named(want->model, &desc.model)) return USAGE;
    if (rows > 1000000000 / T) {
        return usage("--cells, --traces and --frames: expected no more than 10^9 numbers, got "
                     "%lld, %lld and %lld",
                     (long long)cells, (long long)each, (long long)T);
    }
    const int rate_count = numbers_read(want->rate, rates, 16);
    for (int k = 0; k < (rate_count > 0 ? rate_count : 1); k++) {
        if (rate_count > 0 && rates[k] >= 0 && rates[k] <= 1000) continue;
        return usage("--rate: expected up to 16 rates of 0 to 1000 Hz, separated by commas, got "
                     "'%s'",
                     want->rate);
    }
    desc.bin = 1 / fps;
    (void)vdi_calcium_params(desc.model, &P);
    const int64_t streams = vdi_calcium_streams(desc.model), block = streams * T;
    double *raw = doubles(cells * P);
    double *f = doubles(rows * block);
    double *s = doubles(rows * block);
    double *clean = doubles(rows * block);
    double total = 0;
    for (int64_t c = 0; c < cells; c++) {
        vdi_rng draw = vdi_rng_make(r->seed, (uint64_t)(2 * c));
        vdi_calcium_draw(&desc, &draw, raw + c * P);
        for (int64_t k = 0; k < each; k++) {
            const int64_t i = c * each + k;
            vdi_rng rng = vdi_rng_make(r->seed, (uint64_t)(2 * i + 1));
            for (int64_t t = 0; t < block; t++) {
                /* at most one spike a frame of 1/60 s, as the published simulations have it; more
                 * where frames are longer */
                const double rate = rates[(k + t / T) % rate_count];
                s[i * block + t] = fps >= 30 ? vdi_rng_bernoulli(&rng, rate / fps)
                                             : (double)vdi_rng_poisson(&rng, rate / fps);
                total += s[i * block + t];
            }
            if (vdi_calcium_sample(&desc, raw + c * P, VDI_F64, T, s + i * block, walk / sqrt(fps),
                                   &rng, clean + i * block, f + i * block, &err) < 0)
                return fail_error(&err, NULL);
        }
        if (interrupted()) return INTERRUPTED;
    }
    if (!run_open_out(r)) return FAILED;
    int64_t shape[3] = {rows, streams, T};
    if (streams == 1) shape[1] = T;
    const int ndim = streams == 1 ? 2 : 3;
    cell_table ct = {desc.model, raw, cells};
    char *params = path_join(r->out, "params.csv");
    bool ok = array_save(r, "traces", ndim, shape, f) && array_save(r, "spikes", ndim, shape, s) &&
              array_save(r, "clean", ndim, shape, clean);
    if (ok && !save_atomically(params, cells_write, &ct, &err)) {
        ok = false;
        (void)fail_error(&err, params);
    }
    static const char *const keys[] = {"cells", "traces", "frames", "spikes", "spikes_per_second"};
    double values[] = {(double)cells, (double)rows, (double)T, total,
                       total * fps / (double)(rows * block)};
    if (ok) print_results(r, keys, values, 5);
    free(params);
    free(raw);
    free(f);
    free(s);
    free(clean);
    return ok ? DONE : FAILED;
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

#define OASIS_OPTION(name, value, member) \
    OPTION_OF(name, value, NULL, spikes_infer_options, oasis, vdi_oasis_desc_fields, member)
static const option infer_rows[] = {
    FPS_OPTION(spikes_infer_options),
    OPTION("method", "NAME",
           VDI_FIELD_ENUM(spikes_infer_options, method, method_words,
                          "how: the network that vdi ships with, or OASIS")),
    OPTION_TEXT(spikes_infer_options, model, "model", "FILE", NULL,
                "a network that vdi spikes fit has learned: its model.safetensors or its folder"),
    {.name = "grid",
     .value = "60",
     .own = VDI_FIELD_INT_FLAGS(spikes_infer_options, grid, 0, 60, 60, VDI_FIELD_REQUIRED,
                                "also grid.npy: expected spikes on the network's finer grid (60 "
                                "Hz; a fitted network's own bins)")},
    OPTION("samples", "S",
           VDI_FIELD_INT(spikes_infer_options, samples, 0, 0, 100000,
                         "also samples.npy: S trains, counts per frame")),
    OPTION_TEXT(spikes_infer_options, truth, "truth", "SPIKES.npy", NULL,
                "true counts per frame, drawn in the report"),
    OPTION("report", "N",
           VDI_FIELD_INT(spikes_infer_options, report, 8, 0, 1000000,
                         "neurons drawn in report.html; 0: none")),
    OPTION_GROUP("OASIS"),
    OASIS_OPTION("tau-d", "S", "tau_decay"),
    OASIS_OPTION("tau-r", "S", "tau_rise"),
    OASIS_OPTION("penalty", "L", "penalty"),
    OASIS_OPTION("s-min", "A", "s_min"),
    OASIS_OPTION("lambda", "L", "lambda"),
    OASIS_OPTION("noise", "SD", "noise"),
    OASIS_OPTION("baseline", "B", "baseline"),
    OASIS_OPTION("refine", "N", "refine"),
    {.name = "spike-size",
     .value = "A",
     .own = VDI_FIELD_REAL_TWIN(spikes_infer_options, spike_size, has_spike_size, 0, 0, 1e300,
                                VDI_FIELD_ABOVE | VDI_FIELD_REQUIRED,
                                "height of one spike; spikes are then counts")},
};
const command spikes_infer_command = {
    .family = "spikes",
    .verb = "infer",
    .arguments = "TRACES",
    .least = 1,
    .most = 1,
    .out = true,
    .summary =
        "Spikes from fluorescence, (neurons,frames) or (frames,), any unit, NaN where a frame is "
        "missing. Writes spikes.npy (expected spikes per frame), probability.npy (of at least one; "
        "OASIS has none, so 1 where it has an event), denoised.npy, all of the shape of the input, "
        "params.csv and report.html. OASIS's spikes are in units of the trace unless --spike-size "
        "says more.",
    .example = "vdi spikes infer traces.npy --fps 30 --out run",
    COMMAND_OPTIONS(infer_rows),
    .size = sizeof(spikes_infer_options),
    .main = infer_main,
};

static const option score_rows[] = {
    FPS_OPTION(score_options),
    OPTION("one-neuron", NULL,
           VDI_FIELD_BOOL(score_options, one_neuron,
                          "the rows are trials of one neuron, not neurons")),
};
const command spikes_score_command = {
    .family = "spikes",
    .verb = "score",
    .arguments = "EST TRUTH",
    .least = 2,
    .most = 2,
    .summary =
        "Score estimated spikes per frame, (neurons,frames) or (frames,), against true counts per "
        "frame of the same shape (or, for one neuron, its spike times in seconds; 0 is the centre "
        "of frame 0). Correlation in 40 ms bins (r25), smoothed by 40 and 160 ms (r40g, r160g), "
        "and the ROC area (auc): means over the neurons with spikes.",
    .example = "vdi spikes score run/spikes.npy spikes.npy --fps 30 --json",
    COMMAND_OPTIONS(score_rows),
    .size = sizeof(score_options),
    .main = score_main,
};
