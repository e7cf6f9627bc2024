/* examples/vdi/spikes_infer.c - vdi spikes infer: spikes from fluorescence, some traces at a time, so
 * that a long recording can be interrupted and resumed */
#include "spikes_fit.h"
#include "spikes_pretrained.h"

/* ---- OASIS ----------------------------------------------------------------------------------- */

typedef struct oasis_job {
    inference *q;
    int64_t first; /* trace of the part */
    vdi_oasis_desc desc;
    double size; /* of a spike */
} oasis_job;

enum { OASIS_COLUMNS = 8 };

static void oasis_one(int64_t k, int worker, void *user) {
    const oasis_job *j = (const oasis_job *)user;
    const int64_t n = j->q->in->frames, i = j->first + k;
    const double *y = (const double *)j->q->in->y.data + i * n;
    double *s = j->q->spikes + i * n;
    double *p = j->q->probability + i * n;
    double *c = j->q->denoised + i * n;
    double *v = j->q->values + i * OASIS_COLUMNS;
    vdi_oasis_result q;
    (void)worker;
    if (vdi_oasis(&j->desc, VDI_F64, n, y, NULL, c, s, &q, NULL) < 0) {
        j->q->nothing[i] = 1;
        for (int64_t t = 0; t < n; t++)
            s[t] = p[t] = c[t] = NAN;
        for (int column = 0; column < OASIS_COLUMNS; column++)
            v[column] = NAN;
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

static vdi_oasis_desc oasis_desc(const spikes_infer_options *want, int order) {
    vdi_oasis_desc d = want->oasis;
    d.fps = want->fps;
    d.order = order;
    vdi_fields_fill(vdi_oasis_desc_fields(), &d);
    d.has_lambda = want->oasis.has_lambda; /* else it is found from the noise */
    d.has_baseline = want->oasis.has_baseline;
    d.allocator = vdi_allocator_defaults(NULL);
    return d;
}

static int oasis_begin(const spikes_infer_options *want, int order, inference *q) {
    static const char *const columns[OASIS_COLUMNS] = {"baseline", "noise",         "tau_decay",
                                                       "tau_rise", "lambda",        "s_min",
                                                       "events",   "bridged_frames"};
    vdi_error err = {0};
    const vdi_oasis_desc desc = oasis_desc(want, order);
    if (order == 1 && want->oasis.tau_rise > 0)
        return usage("--tau-r is for --method oasis-ar2: order 1 has no rise");
    if (want->model) return usage("--model is for networks, OASIS has none");
    if (vdi_oasis_desc_check(&desc, &err) < 0) return usage("%s", err.message);
    if (q->S || want->grid) {
        return usage(
            "--samples and --grid are for networks: OASIS has neither trains nor a finer grid");
    }
    memcpy(q->columns, columns, sizeof columns);
    q->column_count = OASIS_COLUMNS;
    q->unit = want->has_spike_size ? "spikes per frame" : "units of the trace";
    q->no_probability = true;
    return DONE;
}

static int oasis_part(run *r, const spikes_infer_options *want, int order, inference *q, int64_t at,
                      int64_t count) {
    oasis_job j;
    j.q = q;
    j.first = at;
    j.desc = oasis_desc(want, order);
    j.size = want->has_spike_size ? want->spike_size : 1;
    vdi_pool_run(r->pool, count, oasis_one, &j);
    return DONE;
}

static int oasis1_begin(run *r, const spikes_infer_options *want, inference *q) {
    (void)r;
    return oasis_begin(want, 1, q);
}

static int oasis2_begin(run *r, const spikes_infer_options *want, inference *q) {
    (void)r;
    return oasis_begin(want, 2, q);
}

static int oasis1_part(run *r, const spikes_infer_options *want, inference *q, int64_t at,
                       int64_t count) {
    return oasis_part(r, want, 1, q, at, count);
}

static int oasis2_part(run *r, const spikes_infer_options *want, inference *q, int64_t at,
                       int64_t count) {
    return oasis_part(r, want, 2, q, at, count);
}

/* ---- the network that vdi ships with --------------------------------------------------------- */

enum { NETWORK_COLUMNS = 3 };

static int pretrained_begin(run *r, const spikes_infer_options *want, inference *q) {
    static const char *const columns[NETWORK_COLUMNS] = {"noise", "scale", "expected_spikes"};
    (void)r;
    memcpy(q->columns, columns, sizeof columns);
    q->column_count = NETWORK_COLUMNS;
    q->unit = "expected spikes per frame";
    if (want->grid) {
        q->grid_bins = spikes_pretrained_samples(q->in->frames, q->in->fps);
        if (q->grid_bins > 0) q->grid = doubles(q->in->neurons * q->grid_bins);
    }
    return DONE;
}

static int pretrained_part(run *r, const spikes_infer_options *want, inference *q, int64_t at,
                           int64_t count) {
    const int64_t n = q->in->frames;
    spikes_pretrained p = {0};
    double *noise = doubles(count), *scale = doubles(count), *expected = doubles(count);
    (void)want;
    p.spikes = q->spikes + at * n;
    p.probability = q->probability + at * n;
    p.denoised = q->denoised + at * n;
    p.grid = q->grid ? q->grid + at * q->grid_bins : NULL;
    p.noise = noise;
    p.scale = scale;
    p.count = expected;
    p.nothing = q->nothing + at;
    const int code = spikes_pretrained_infer(r, count, n, (const double *)q->in->y.data + at * n,
                                             q->in->fps, &p);
    for (int64_t i = 0; i < count; i++) {
        double *v = q->values + (at + i) * NETWORK_COLUMNS;
        v[0] = noise[i];
        v[1] = scale[i];
        v[2] = expected[i];
    }
    free(noise);
    free(scale);
    free(expected);
    return code;
}

/* Counts per frame drawn from expected ones, independently: all that a network without an account
 * of pairs can say of trains. */
static void pretrained_end(const run *r, inference *q) {
    const int64_t count = q->in->neurons * q->in->frames;
    for (int64_t s = 0; s < q->S; s++) {
        vdi_rng rng = vdi_rng_make(r->seed, (uint64_t)s);
        for (int64_t i = 0; i < count; i++) {
            q->samples[s * count + i] =
                q->spikes[i] == q->spikes[i] ? (double)vdi_rng_poisson(&rng, q->spikes[i]) : NAN;
        }
    }
}

/* ---- a network that vdi spikes fit has learned: all traces at once --------------------------- */

static int fitted_begin(run *r, const spikes_infer_options *want, inference *q) {
    spikes_fitted f = {0};
    const int64_t neurons = q->in->neurons, n = q->in->frames;
    const int code = spikes_fitted_infer(r, want->model, neurons, n, NULL, q->in->fps, true, &f);
    if (code != DONE) return code;
    q->fine = f.upsample > 0 ? f.upsample : 1;
    q->columns[0] = "expected_spikes";
    q->column_count = 1;
    q->unit = "expected spikes per frame";
    q->at_once = true;
    if (want->grid) {
        q->grid_bins = n * q->fine;
        q->grid = doubles(neurons * q->grid_bins);
    }
    return DONE;
}

static int fitted_part(run *r, const spikes_infer_options *want, inference *q, int64_t at,
                       int64_t count) {
    spikes_fitted f = {0};
    const int64_t neurons = q->in->neurons, n = q->in->frames;
    (void)at;
    (void)count;
    f.spikes = q->spikes;
    f.probability = q->probability;
    f.denoised = q->denoised;
    f.samples = q->S;
    f.grid = q->grid;
    if (q->S && !(f.sample = (unsigned char *)malloc((size_t)(q->S * neurons * n * q->fine))))
        return fail("out of memory");
    const int code = spikes_fitted_infer(r, want->model, neurons, n, (const double *)q->in->y.data,
                                         q->in->fps, false, &f);
    for (int64_t i = 0; code == DONE && i < q->S * neurons * n; i++) {
        for (int64_t k = 0; k < q->fine; k++)
            q->samples[i] += f.sample[i * q->fine + k];
    }
    free(f.sample);
    for (int64_t i = 0; i < neurons * n; i++)
        q->values[i / n] += q->spikes[i];
    return code;
}

/* ---- methods --------------------------------------------------------------------------------- */

typedef struct method {
    const char *name;
    /* checks, columns, unit; some traces; what needs all of them, or NULL */
    int (*begin)(run *r, const spikes_infer_options *want, inference *q);
    int (*part)(run *r, const spikes_infer_options *want, inference *q, int64_t at, int64_t count);
    void (*end)(const run *r, inference *q);
} method;

/* A row each. */
#define METHODS(row)                                                     \
    row("pretrained", pretrained_begin, pretrained_part, pretrained_end) \
        row("oasis", oasis1_begin, oasis1_part, NULL)                    \
            row("oasis-ar2", oasis2_begin, oasis2_part, NULL)

#define METHOD_ROW(name, begin, part, end) {name, begin, part, end},
#define METHOD_WORD(name, begin, part, end) name,
static const method methods[] = {METHODS(METHOD_ROW)};
static const char *const method_words[] = {METHODS(METHOD_WORD) NULL};
static const method fitted = {"fitted", fitted_begin, fitted_part, NULL};

/* ---- what is done so far --------------------------------------------------------------------- */

static int64_t state_of(inference *q, int64_t rows, vdi_named_tensor t[6]) {
    const int64_t n = q->in->frames;
    int64_t count = 0;
    t[count].name = "spikes";
    t[count++].tensor = vdi_tensor_2d(q->spikes, VDI_F64, rows, n);
    t[count].name = "probability";
    t[count++].tensor = vdi_tensor_2d(q->probability, VDI_F64, rows, n);
    t[count].name = "denoised";
    t[count++].tensor = vdi_tensor_2d(q->denoised, VDI_F64, rows, n);
    t[count].name = "values";
    t[count++].tensor = vdi_tensor_2d(q->values, VDI_F64, rows, q->column_count);
    t[count].name = "nothing";
    t[count++].tensor = vdi_tensor_1d(q->nothing, VDI_F64, rows);
    if (q->grid) {
        t[count].name = "grid";
        t[count++].tensor = vdi_tensor_2d(q->grid, VDI_F64, rows, q->grid_bins);
    }
    return count;
}

static bool checkpoint_save(const run *r, inference *q, int64_t rows) {
    vdi_named_tensor t[6];
    vdi_state own = {0};
    own.tensors = t;
    own.tensor_count = state_of(q, rows, t);
    return state_save(r, "checkpoint.safetensors", state_copy(&own, 0, 0));
}

/* *rows of them are there; none without a checkpoint. */
static bool checkpoint_load(const run *r, inference *q, int64_t *rows) {
    vdi_error err = {0};
    vdi_safetensors file;
    vdi_named_tensor t[6];
    vdi_state own = {0};
    char *path = path_join(r->out, "checkpoint.safetensors");
    bool ok = true;
    *rows = 0;
    if (r->resume && !q->at_once && file_exists(path)) {
        ok = vdi_safetensors_load(path, NULL, &file, &err) == VDI_OK;
        if (ok) {
            const vdi_tensor done = vdi_safetensors_find(&file, "nothing");
            if (done.ndim == 1 && done.shape[0] <= q->in->neurons) {
                *rows = done.shape[0];
                own.tensors = t;
                own.tensor_count = state_of(q, *rows, t);
                ok = vdi_safetensors_copy_to(&file, &own, &err) == VDI_OK;
            } else {
                ok = false;
                (void)vdi_error_set(&err, VDI_ERR_FORMAT, "resume",
                                    "expected results of at most %lld traces",
                                    (long long)q->in->neurons);
            }
            vdi_safetensors_free(&file);
        }
    }
    if (!ok) (void)fail_error(&err, path);
    free(path);
    return ok;
}

static int infer_all(run *r, const method *m, const spikes_infer_options *want, inference *q) {
    const int64_t neurons = q->in->neurons;
    /* between parts there is time for progress and Ctrl-C */
    const int64_t most = q->at_once ? neurons : 2 * (int64_t)vdi_pool_threads(r->pool);
    double saved = seconds_now();
    int64_t at;
    if (!checkpoint_load(r, q, &at)) return FAILED;
    while (at < neurons) {
        const int64_t count = neurons - at < most ? neurons - at : most;
        const int code = m->part(r, want, q, at, count);
        if (code != DONE) return code;
        at += count;
        progress(r, at, neurons, "traces", (double)at);
        if (at == neurons) break;
        if (interrupted()) {
            progress_end(r);
            if (!checkpoint_save(r, q, at)) return FAILED;
            fprintf(stderr,
                    "vdi: interrupted after %lld of %lld traces; go on with: vdi spikes infer "
                    "--resume %s\n",
                    (long long)at, (long long)neurons, r->out);
            return INTERRUPTED;
        }
        if (checkpoint_due(&saved, 10) && !checkpoint_save(r, q, at)) return FAILED;
    }
    progress_end(r);
    for (int64_t i = 0; i < neurons; i++)
        q->empty += q->nothing[i] != 0;
    if (m->end) m->end(r, q);
    return DONE;
}

/* ---- what is left behind --------------------------------------------------------------------- */

static bool params_save(const run *r, const inference *q) {
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
    const bool ok = save_csv(r, "params.csv", column, q->column_count + 1);
    free(index);
    free(list);
    return ok;
}

static bool results_save(const run *r, const inference *q) {
    const vdi_tensor *y = &q->in->y;
    const int64_t fine[2] = {q->in->neurons, q->grid_bins};
    int64_t shape[3] = {q->S, y->shape[0], q->in->frames};
    if (y->ndim == 1) shape[1] = q->in->frames; /* the shape of the input */
    return array_save(r, "spikes", y->ndim, y->shape, q->spikes) &&
           array_save(r, "probability", y->ndim, y->shape, q->probability) &&
           array_save(r, "denoised", y->ndim, y->shape, q->denoised) &&
           (!q->S || array_save(r, "samples", y->ndim + 1, shape, q->samples)) &&
           (!q->grid || array_save(r, "grid", y->ndim, y->ndim == 2 ? fine : fine + 1, q->grid)) &&
           params_save(r, q);
}

static void tell(const run *r, const inference *q) {
    static const char *const keys[] = {"neurons", "frames", "spikes", "spikes_per_second", "empty"};
    const int64_t neurons = q->in->neurons, frames = q->in->frames;
    const double seconds = (double)(neurons - q->empty) * (double)frames / q->in->fps;
    double sum = 0;
    for (int64_t i = 0; i < neurons * frames; i++)
        if (q->spikes[i] == q->spikes[i]) sum += q->spikes[i];
    const double values[] = {(double)neurons, (double)frames, sum,
                             seconds > 0 ? sum / seconds : NAN, (double)q->empty};
    if (q->empty) {
        fprintf(stderr,
                "vdi: warning: empty: %lld of %lld traces hold too few numbers or are constant; "
                "their results are NaN\n",
                (long long)q->empty, (long long)neurons);
    }
    print_results(r, keys, values, 5);
}

static int infer(run *r, const spikes_infer_options *want, inference *q, vdi_tensor *truth) {
    const method *m = want->model && want->method == 0 ? &fitted : &methods[want->method];
    const int64_t count = q->in->neurons * q->in->frames;
    int code = m->begin(r, want, q);
    if (code != DONE) return code;
    if (want->truth) {
        if (!array_load(want->truth, truth)) return FAILED;
        if (vdi_tensor_count(*truth) != count) {
            return fail("expected as many counts as there are frames, %lld, got %lld, in %s",
                        (long long)count, (long long)vdi_tensor_count(*truth), want->truth);
        }
    }
    q->spikes = doubles(count);
    q->probability = doubles(count);
    q->denoised = doubles(count);
    q->values = doubles(q->in->neurons * q->column_count);
    q->nothing = doubles(q->in->neurons);
    if (q->S) q->samples = doubles(q->S * count);
    if (!run_open_out(r)) return FAILED;
    if ((code = infer_all(r, m, want, q)) != DONE) return code;
    if (!results_save(r, q)) return FAILED;
    if (!spikes_report(r, q, (const double *)truth->data, want->report,
                       want->model ? want->model : m->name))
        return FAILED;
    tell(r, q);
    return DONE;
}

static int infer_main(run *r, void *options) {
    const spikes_infer_options *want = (const spikes_infer_options *)options;
    recording in;
    inference q = {0};
    vdi_tensor truth;
    memset(&truth, 0, sizeof truth);
    if (!fps_given(want->fps)) return USAGE;
    if (!traces_load(r->argument[0], 1, &in)) return FAILED;
    in.fps = want->fps;
    q.in = &in;
    q.S = want->samples;
    const int code = infer(r, want, &q, &truth);
    if (truth.data) vdi_tensor_free(NULL, &truth);
    free(q.spikes);
    free(q.probability);
    free(q.denoised);
    free(q.samples);
    free(q.grid);
    free(q.values);
    free(q.nothing);
    vdi_tensor_free(NULL, &in.y);
    return code;
}

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
    OPTION_TEXT(spikes_infer_options, resume, "resume", "RUN", NULL,
                "go on with an interrupted run; ends in the same bits"),
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
