/* examples/vdi/spikes.c - vdi spikes simulate | infer | score (fit and spine are in
 * spikes_fit.c) */
#include "spikes.h"
#include "spikes_fit.h"
#include "spikes_pretrained.h"

bool fps_read(run *r, double *fps) {
    *fps = option_real(r, "fps");
    if (!option_given(r, "fps")) {
        usage("expected --fps F, the frames per second of the recording");
        return false;
    }
    if (!(*fps > 0 && *fps <= 1e6)) {
        usage("--fps: expected more than 0 and at most 1000000 frames per second, got %g", *fps);
        return false;
    }
    return true;
}

/* A table of one column is one trace, not many of one frame. */
static void column_alone(vdi_tensor *t) {
    if (t->ndim == 2 && t->shape[1] == 1) {
        t->ndim = 1;
        t->stride[0] = 1;
    }
}

bool traces_load(run *r, const char *path, traces *o) {
    char text[VDI_SHAPE_TEXT];
    (void)r;
    o->file = path;
    if (!array_load(path, &o->y)) return false;
    column_alone(&o->y);
    if (o->y.ndim != 1 && o->y.ndim != 2) {
        fail("expected (neurons,frames) or (frames,), got %s, in %s",
             vdi_tensor_shape_text(o->y, text), path);
        return false;
    }
    o->neurons = o->y.ndim == 2 ? o->y.shape[0] : 1;
    o->frames = o->y.shape[o->y.ndim - 1];
    if (o->neurons < 1 || o->frames < 1) {
        fail("expected at least one neuron and one frame, got %s, in %s",
             vdi_tensor_shape_text(o->y, text), path);
        return false;
    }
    return true;
}

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

static int infer_oasis(run *r, int order, inference *q) {
    static const char *const columns[OASIS_COLUMNS] = {"baseline", "noise",         "tau_decay",
                                                       "tau_rise", "lambda",        "s_min",
                                                       "events",   "bridged_frames"};
    oasis_job j = {0};
    vdi_error err = {0};
    const char *penalty = option_text(r, "penalty");
    j.r = r;
    j.q = q;
    j.desc = vdi_oasis_desc_defaults();
    j.desc.fps = q->in->fps;
    j.desc.order = order;
    j.desc.tau_decay = option_real(r, "tau-d");
    j.desc.tau_rise = option_real(r, "tau-r");
    if (order == 1 && option_given(r, "tau-r"))
        return usage("--tau-r is for --method oasis-ar2: order 1 has no rise");
    if (strcmp(penalty, "l1") != 0 && strcmp(penalty, "l0") != 0)
        return usage("--penalty: expected l1 or l0, got '%s'", penalty);
    j.desc.penalty = strcmp(penalty, "l0") == 0 ? VDI_OASIS_L0 : VDI_OASIS_L1;
    j.desc.s_min = option_real(r, "s-min");
    j.desc.has_lambda = option_given(r, "lambda");
    j.desc.lambda = option_real(r, "lambda");
    j.desc.noise = option_real(r, "noise");
    j.desc.has_baseline = option_given(r, "baseline");
    j.desc.baseline = option_real(r, "baseline");
    j.desc.refine = (int)option_int(r, "refine");
    j.size = option_given(r, "spike-size") ? option_real(r, "spike-size") : 1;
    if (!(j.size > 0)) return usage("--spike-size: expected more than 0, got %g", j.size);
    if (vdi_oasis_desc_check(&j.desc, &err) < 0) return usage("%s", err.message);
    memcpy(q->columns, columns, sizeof columns);
    q->column_count = OASIS_COLUMNS;
    q->values = doubles(q->in->neurons * OASIS_COLUMNS);
    q->unit = option_given(r, "spike-size") ? "spikes per frame" : "units of the trace";
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
        traces shifted = *q->in;
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
static int infer_oasis1(run *r, inference *q) { return infer_oasis(r, 1, q); }
static int infer_oasis2(run *r, inference *q) { return infer_oasis(r, 2, q); }

/* Counts per frame drawn from expected ones, independently: all that a network without an account
 * of pairs can say of trains. */
static void samples_draw(const run *r, inference *q) {
    const int64_t count = q->in->neurons * q->in->frames;
    for (int64_t s = 0; s < q->S; s++) {
        vdi_rng rng = vdi_rng_make((uint64_t)option_int(r, "seed"), (uint64_t)s);
        for (int64_t i = 0; i < count; i++) {
            q->samples[s * count + i] =
                q->spikes[i] == q->spikes[i] ? (double)vdi_rng_poisson(&rng, q->spikes[i]) : NAN;
        }
    }
}

static int infer_pretrained(run *r, inference *q) {
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
    if (option_given(r, "grid")) {
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

static int infer_fitted(run *r, inference *q) {
    static const char *const columns[] = {"expected_spikes"};
    const char *file = option_text(r, "model");
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
    if (option_given(r, "grid")) {
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

static const struct {
    const char *name;
    int (*infer)(run *r, inference *q);
} methods[] = {
    {"pretrained", infer_pretrained}, {"oasis", infer_oasis1}, {"oasis-ar2", infer_oasis2}};

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

static int infer_main(run *r) {
    traces in;
    inference q = {0};
    vdi_error err = {0};
    vdi_tensor truth;
    const char *method = option_text(r, "method");
    const char *truth_file = option_text(r, "truth");
    const char *model = option_text(r, "model");
    int which = -1;
    truth.data = NULL;
    if (!fps_read(r, &in.fps)) return USAGE;
    for (int i = 0; i < (int)(sizeof methods / sizeof *methods); i++)
        if (!strcmp(method, methods[i].name)) which = i;
    if (which < 0)
        return usage("--method: expected pretrained, oasis or oasis-ar2, got '%s'", method);
    if (model && which > 0) return usage("--model is for networks, --method %s has none", method);
    if (option_given(r, "grid") && option_int(r, "grid") != 60)
        return usage("--grid: expected 60, got %lld", (long long)option_int(r, "grid"));
    q.S = option_int(r, "samples");
    if (q.S < 0 || q.S > 100000)
        return usage("--samples: expected 0 to 100000, got %lld", (long long)q.S);
    if (!option_text(r, "out")) return usage("expected --out FOLDER for the results");
    if (!traces_load(r, r->argument[0], &in)) return FAILED;
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
    int code = model ? infer_fitted(r, &q) : methods[which].infer(r, &q);
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
        if (ok && !spikes_report(r, &q, (const double *)truth.data, option_int(r, "report"),
                                 model ? model : method, &err)) {
            ok = false;
            (void)fail_error(&err, "report.html");
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

static int score_main(run *r) {
    traces est, truth;
    vdi_error err = {0};
    double fps;
    if (!fps_read(r, &fps)) return USAGE;
    if (!traces_load(r, r->argument[0], &est) || !array_load(r->argument[1], &truth.y))
        return FAILED;
    column_alone(&truth.y);
    const bool same = vdi_tensor_same_shape(est.y, truth.y);
    const bool times = !same && est.neurons == 1 && truth.y.ndim == 1;
    const bool one = option_flag(r, "one-neuron");
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

static int simulate_main(run *r) {
    vdi_calcium_desc desc = vdi_calcium_desc_defaults();
    vdi_error err = {0};
    const char *name = option_text(r, "model");
    const int64_t cells = option_int(r, "cells");
    const int64_t each = option_int(r, "traces");
    const int64_t T = option_int(r, "frames");
    const int64_t rows = cells * each;
    const double fps = option_real(r, "fps"), walk = option_real(r, "drift");
    double rates[16];
    int rate_count = 0, P = 0;
    if (!vdi_calcium_find(name, &desc.model))
        return usage("--model: expected linear, ar2, scdf, mlphys or spine, got '%s'", name);
    if (!(fps > 0 && fps <= 1e6)) {
        return usage("--fps: expected more than 0 and at most 1000000 frames per second, got %g",
                     fps);
    }
    if (cells < 1 || cells > 1000000 || each < 1 || each > 1000000 || T < 1 || T > 100000000 ||
        rows > 1000000000 / T) {
        return usage("--cells, --traces and --frames: expected at least 1 of each and no more than "
                     "10^9 numbers, got %lld, %lld and %lld",
                     (long long)cells, (long long)each, (long long)T);
    }
    if (!(walk >= 0 && walk < 1e6)) return usage("--drift: expected 0 or more, got %g", walk);
    for (const char *at = option_text(r, "rate"); *at && rate_count < 16;) {
        const size_t length = strcspn(at, ",");
        double v;
        if (vdi_text_parse_double(at, length, &v) != length || length == 0 ||
            !(v >= 0 && v <= 1000)) {
            return usage("--rate: expected rates of 0 to 1000 Hz, separated by commas, got '%s'",
                         option_text(r, "rate"));
        }
        rates[rate_count++] = v;
        at += length + (at[length] == ',');
    }
    if (rate_count == 0) return usage("--rate: expected at least one rate in Hz");
    if (!option_text(r, "out")) return usage("expected --out FOLDER for the results");
    desc.bin = 1 / fps;
    (void)vdi_calcium_params(desc.model, &P);
    const int64_t streams = vdi_calcium_streams(desc.model), block = streams * T;
    double *raw = doubles(cells * P);
    double *f = doubles(rows * block);
    double *s = doubles(rows * block);
    double *clean = doubles(rows * block);
    double total = 0;
    for (int64_t c = 0; c < cells; c++) {
        vdi_rng draw = vdi_rng_make((uint64_t)option_int(r, "seed"), (uint64_t)(2 * c));
        vdi_calcium_draw(&desc, &draw, raw + c * P);
        for (int64_t k = 0; k < each; k++) {
            const int64_t i = c * each + k;
            vdi_rng rng = vdi_rng_make((uint64_t)option_int(r, "seed"), (uint64_t)(2 * i + 1));
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

static const option simulate_options[] = {
    {"model", TEXT, "NAME", "linear", "linear, ar2, scdf, mlphys or spine (docs/guide/calcium.md)"},
    {"cells", INTEGER, "N", "100", "cells, each with parameters drawn from the published ranges"},
    {"traces", INTEGER, "N", "3", "traces of each cell"},
    {"frames", INTEGER, "N", "10000", "frames of a trace"},
    {"fps", REAL, "F", "60", "frames per second; one bin of the model is one frame"},
    {"rate", TEXT, "HZ,...", "0.7,1.0,1.2", "firing rates of a cell's traces, in turn"},
    {"drift", REAL, "SD", "0", "standard deviation of the baseline's walk after one second"},
};
const command spikes_simulate_command = {
    "spikes",
    "simulate",
    "",
    0,
    0,
    "Simulate fluorescence from spikes. Writes traces.npy, spikes.npy (counts per frame) and "
    "clean.npy (no noise, no drift), each\n"
    "(cells x traces, frames), or (.., 2, frames) for the spine model (dendrite and spine; "
    "back-propagating and synaptic), and\n"
    "params.csv, the parameters of each cell in the units of the equations.",
    "vdi spikes simulate --model linear --cells 10 --out sim",
    simulate_options,
    7,
    simulate_main};

static const option infer_options[] = {
    {"fps", REAL, "F", NULL, "frames per second"},
    {"method", TEXT, "NAME", "pretrained",
     "pretrained (the network in the box), oasis or oasis-ar2"},
    {"model", TEXT, "FILE", NULL,
     "a network that vdi spikes fit has learned: its model.safetensors or its folder"},
    {"grid", INTEGER, "60", NULL,
     "also grid.npy: expected spikes on the network's finer grid (60 Hz; a fitted network's own "
     "bins)"},
    {"samples", INTEGER, "S", "0", "also samples.npy: S trains, counts per frame"},
    {"truth", TEXT, "SPIKES.npy", NULL, "true counts per frame, drawn in the report"},
    {"report", INTEGER, "N", "8", "neurons in report.html"},
    {"tau-d", REAL, "S", NULL, "oasis: decay in seconds; default: estimated for each trace"},
    {"tau-r", REAL, "S", NULL, "oasis-ar2: rise in seconds; default: estimated for each trace"},
    {"penalty", TEXT, "L", "l1", "oasis: l1 (exact) or l0 (greedy)"},
    {"s-min", REAL, "A", NULL,
     "oasis, l0: least spike in units of the trace, negative: of the noise; default: from the "
     "noise"},
    {"lambda", REAL, "L", NULL, "oasis, l1: weight of the spikes; default: from the noise"},
    {"noise", REAL, "SD", NULL, "oasis: standard deviation of the noise; default: estimated"},
    {"baseline", REAL, "B", NULL, "oasis: the baseline; default: estimated"},
    {"refine", INTEGER, "N", "0", "oasis: refit the decay to N large isolated events"},
    {"spike-size", REAL, "A", NULL, "oasis: height of one spike; spikes are then counts"},
};
const command spikes_infer_command = {
    "spikes",
    "infer",
    "TRACES",
    1,
    1,
    "Spikes from fluorescence, (neurons,frames) or (frames,), any unit, NaN where a frame is "
    "missing. Writes spikes.npy (expected\n"
    "spikes per frame), probability.npy (of at least one; OASIS has none, so 1 where it has an "
    "event), denoised.npy, all of the\n"
    "shape of the input, params.csv and report.html. OASIS's spikes are in units of the trace "
    "unless --spike-size says more.",
    "vdi spikes infer traces.npy --fps 30 --out run",
    infer_options,
    16,
    infer_main};

static const option score_options[] = {
    {"fps", REAL, "F", NULL, "frames per second"},
    {"one-neuron", FLAG, NULL, NULL, "the rows are trials of one neuron, not neurons"},
};
const command spikes_score_command = {
    "spikes",
    "score",
    "EST TRUTH",
    2,
    2,
    "Score estimated spikes per frame, (neurons,frames) or (frames,), against true counts per "
    "frame of the same shape (or, for one\n"
    "neuron, its spike times in seconds; 0 is the centre of frame 0). Correlation in 40 ms bins "
    "(r25), smoothed by 40 and 160 ms\n"
    "(r40g, r160g), and the ROC area (auc): means over the neurons with spikes.",
    "vdi spikes score run/spikes.npy spikes.npy --fps 30 --json",
    score_options,
    2,
    score_main};
