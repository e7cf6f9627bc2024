/* examples/vdi/spikes_infer.c - vdi spikes infer: spikes from fluorescence, some neurons at a time
 *
 * Traces are read, inferred and written part by part, so that memory does not depend on how many
 * there are. Files hold whole rows at any moment; a checkpoint tells which, with the numbers of the
 * neurons that are done.
 */
#include "spikes_neurons.h"
#include "spikes_quality.h"

static const char *const dtype_words[] = {"f8", "f4", NULL};

/* ---- a part ---------------------------------------------------------------------------------- */

/* Rows of a part: some for each thread, as many as are done in about 20 ms each. */
static int64_t part_rows(const run *r, const inference *q) {
    enum { SAMPLES = 20000 };
    const double per_frame = fmax(1, VDI_PRETRAINED_GRID / q->fps);
    const double samples = (double)q->in->frames * per_frame;
    const double each = fmin(fmax(SAMPLES / samples, 1), 256);
    int64_t rows = (int64_t)each * vdi_pool_threads(r->pool);
    if (q->together) rows = q->together;
    if (rows < q->neurons.most) rows = q->neurons.most;
    return rows < q->neurons.rows ? rows : q->neurons.rows;
}

static void part_open(const run *r, inference *q) {
    const int64_t rows = part_rows(r, q), n = q->in->frames;
    inference_part *p = &q->part;
    p->capacity = rows;
    p->row = (int64_t *)calloc((size_t)rows + 1, sizeof *p->row);
    p->traces = doubles(rows * n);
    p->spikes = doubles(rows * n);
    p->probability = doubles(rows * n);
    p->denoised = doubles(rows * n);
    if (q->has_deviation) p->deviation = doubles(rows * n);
    if (q->grid_bins > 0) p->grid = doubles(rows * q->grid_bins);
    if (q->trains && q->S)
        p->sample = (unsigned char *)malloc((size_t)(q->S * rows * n * q->fine) + 1);
    if (!p->row || (q->trains && q->S && !p->sample)) exit(fail("out of memory"));
}

static void part_close(inference_part *p) {
    free(p->row);
    free(p->traces);
    free(p->spikes);
    free(p->probability);
    free(p->denoised);
    free(p->deviation);
    free(p->grid);
    free(p->sample);
    memset(p, 0, sizeof *p);
}

/* Neurons from `at` on, as many as fit, with their traces. */
static bool part_take(inference *q, int64_t at) {
    inference_part *p = &q->part;
    const neuron_list *l = &q->neurons;
    p->at = at;
    p->count = p->rows = 0;
    while (at + p->count < l->count) {
        const int64_t k = at + p->count, rows = l->begin[k + 1] - l->begin[k];
        if (p->count > 0 && p->rows + rows > p->capacity) break;
        for (int64_t i = 0; i < rows; i++)
            p->row[p->rows++] = l->member[l->begin[k] + i];
        p->count++;
    }
    for (int64_t i = 0; i < p->rows; i++)
        if (!source_read(q->in, p->row[i], p->traces + i * q->in->frames)) return false;
    return true;
}

/* A number of spikes with that expectation and standard deviation: a negative binomial one is a
 * Poisson number whose expectation is a Gamma one. */
static double count_draw(vdi_rng *rng, double expected, double deviation) {
    if (!(expected > 0)) return expected == expected ? 0 : NAN;
    const double spread = (deviation * deviation - expected) / (expected * expected);
    if (spread > 1e-3) expected *= spread * vdi_rng_gamma(rng, 1 / spread);
    return (double)vdi_rng_poisson(rng, expected);
}

/* Trains of a row: the method's own, or counts that are drawn frame by frame. */
static void train_draw(const run *r, const inference *q, int64_t s, int64_t i, double *out) {
    const inference_part *p = &q->part;
    const int64_t n = q->in->frames;
    if (q->trains) {
        const unsigned char *from = p->sample + (s * p->rows + i) * n * q->fine;
        for (int64_t t = 0; t < n; t++) {
            out[t] = 0;
            for (int64_t k = 0; k < q->fine; k++)
                out[t] += from[t * q->fine + k];
        }
        return;
    }
    vdi_rng rng = vdi_rng_make(r->seed, (uint64_t)(s * q->in->rows + p->row[i]));
    for (int64_t t = 0; t < n; t++)
        out[t] = count_draw(&rng, p->spikes[i * n + t], p->deviation[i * n + t]);
}

/* The rows of a part into their files. */
static bool part_write(const run *r, inference *q) {
    const inference_part *p = &q->part;
    const int64_t n = q->in->frames;
    double *train = q->S ? doubles(n) : NULL;
    bool ok = true;
    for (int64_t i = 0; ok && i < p->rows; i++) {
        const int64_t to = q->neurons.place[p->row[i]];
        ok = rows_write(&q->spikes_file, to, p->spikes + i * n) &&
             rows_write(&q->probability_file, to, p->probability + i * n) &&
             rows_write(&q->denoised_file, to, p->denoised + i * n) &&
             (!p->deviation || rows_write(&q->deviation_file, to, p->deviation + i * n)) &&
             (!p->grid || rows_write(&q->grid_file, to, p->grid + i * q->grid_bins));
        for (int64_t s = 0; ok && s < q->S; s++) {
            train_draw(r, q, s, i, train);
            ok = rows_write(&q->samples_file, s * q->neurons.rows + to, train);
        }
    }
    free(train);
    return ok;
}

/* ---- numbers of each neuron ------------------------------------------------------------------ */

/* The sum, and a row of the raster: rates on a logarithmic scale, or shares of the largest where
 * the unit is not spikes. */
static void neuron_sum(inference *q, int64_t k, const double *s, int64_t count) {
    double sum = 0, bin[PICTURE] = {0}, largest = 0;
    for (int64_t t = 0; t < count; t++) {
        if (!(s[t] > 0)) continue;
        sum += s[t];
        bin[t * PICTURE / count] += s[t];
    }
    q->total[k] = q->nothing[k] != 0 ? NAN : sum;
    for (int b = 0; b < PICTURE; b++)
        largest = fmax(largest, bin[b]);
    for (int b = 0; b < PICTURE; b++) {
        const double rate = bin[b] * q->fps * PICTURE / (double)count;
        const double v = q->no_probability ? (largest > 0 ? sqrt(bin[b] / largest) : 0)
                                           : log1p(rate) / log1p(PICTURE_RATE);
        q->picture[k * PICTURE + b] = (uint8_t)(255 * fmin(v, 1) + 0.5);
    }
}

static void part_sums(inference *q) {
    const inference_part *p = &q->part;
    const int64_t n = q->in->frames;
    for (int64_t k = 0, row = 0; k < p->count; k++) {
        const int64_t rows = q->neurons.begin[p->at + k + 1] - q->neurons.begin[p->at + k];
        neuron_sum(q, p->at + k, p->spikes + row * n, rows * n);
        row += rows;
    }
}

static int64_t state_of(inference *q, int64_t done, vdi_named_tensor t[6]) {
    const int64_t shape[2] = {done, PICTURE};
    int64_t count = 0;
    t[count].name = "values";
    t[count++].tensor = vdi_tensor_2d(q->values, VDI_F64, done, q->column_count);
    t[count].name = "nothing";
    t[count++].tensor = vdi_tensor_1d(q->nothing, VDI_F64, done);
    t[count].name = "total";
    t[count++].tensor = vdi_tensor_1d(q->total, VDI_F64, done);
    t[count].name = "unusual";
    t[count++].tensor = vdi_tensor_1d(q->unusual, VDI_F64, done);
    t[count].name = "quality";
    t[count++].tensor = vdi_tensor_2d(q->quality, VDI_F64, done, quality_columns());
    t[count].name = "picture";
    t[count++].tensor = vdi_tensor_view(q->picture, VDI_U8, 2, shape);
    return count;
}

/* ---- what is done so far --------------------------------------------------------------------- */

enum { FILES = 6 };

static void files_of(inference *q, rows_out *file[FILES]) {
    file[0] = &q->spikes_file;
    file[1] = &q->probability_file;
    file[2] = &q->denoised_file;
    file[3] = &q->deviation_file;
    file[4] = &q->grid_file;
    file[5] = &q->samples_file;
}

static bool files_begin(const run *r, const spikes_infer_options *want, bool go_on, inference *q) {
    const trace_source *in = q->in;
    rows_shape frames = {0}, grid, trains;
    frames.dtype = want->dtype ? VDI_F32 : VDI_F64;
    frames.vector = in->ndim == 1;
    frames.columns = in->frames;
    /* a share may hold trials of more than one neuron, or of a part of one */
    if (in->ndim == 3 && !want->shard) frames.each = in->shape[1];
    grid = trains = frames;
    grid.columns = q->grid_bins;
    trains.planes = q->S;
    return rows_begin(r, "spikes", &frames, go_on, &q->spikes_file) &&
           rows_begin(r, "probability", &frames, go_on, &q->probability_file) &&
           rows_begin(r, "denoised", &frames, go_on, &q->denoised_file) &&
           (!q->has_deviation || rows_begin(r, "deviation", &frames, go_on, &q->deviation_file)) &&
           (q->grid_bins <= 0 || rows_begin(r, "grid", &grid, go_on, &q->grid_file)) &&
           (!q->S || rows_begin(r, "samples", &trains, go_on, &q->samples_file));
}

/* Rows that are done when the neurons before `at` are. */
static int64_t rows_done(const inference *q, int64_t at) {
    const neuron_list *l = &q->neurons;
    return at < l->count ? l->place[l->member[l->begin[at]]] : l->rows;
}

/* The files tell so many rows: by `tell`, which is rows_tell, rows_keep or rows_end. */
static bool files_tell(inference *q, int64_t rows, bool (*tell)(rows_out *, int64_t)) {
    rows_out *file[FILES];
    bool ok = true;
    files_of(q, file);
    for (int i = 0; i < FILES; i++) {
        const int64_t own = file[i]->shape.planes && rows < q->neurons.rows ? 0 : rows;
        if (!file[i]->path) continue;
        ok = tell(file[i], own) && ok;
    }
    return ok;
}

/* Files first, then the numbers that say so. */
static bool checkpoint_save(const run *r, inference *q, int64_t at) {
    vdi_named_tensor t[6];
    vdi_state own = {0};
    if (!files_tell(q, rows_done(q, at), rows_keep)) return false;
    own.tensors = t;
    own.tensor_count = state_of(q, at, t);
    return state_save(r, "checkpoint.safetensors", state_copy(&own, 0, 0));
}

/* *at neurons are done; none without a checkpoint. */
static bool checkpoint_load(const run *r, inference *q, int64_t *at) {
    vdi_error err = {0};
    vdi_safetensors file;
    vdi_named_tensor t[6];
    vdi_state own = {0};
    char *path = path_join(r->out, "checkpoint.safetensors");
    bool ok = true;
    *at = 0;
    if (!r->resume) {
        (void)file_remove(path); /* another run's */
    } else if (file_exists(path)) {
        ok = vdi_safetensors_load(path, NULL, &file, &err) == VDI_OK;
        if (ok) {
            const vdi_tensor done = vdi_safetensors_find(&file, "nothing");
            ok = done.ndim == 1 && done.shape[0] <= q->neurons.count;
            if (ok) {
                *at = done.shape[0];
                own.tensors = t;
                own.tensor_count = state_of(q, *at, t);
                ok = vdi_safetensors_copy_to(&file, &own, &err) == VDI_OK;
            } else {
                (void)vdi_error_set(&err, VDI_ERR_FORMAT, "resume",
                                    "expected results of at most %lld neurons",
                                    (long long)q->neurons.count);
            }
            vdi_safetensors_free(&file);
        }
    }
    if (!ok) (void)fail_error(&err, path);
    free(path);
    return ok;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static double rate_so_far(const inference *q, int64_t at) {
    double sum = 0;
    for (int64_t i = 0; i < at; i++)
        if (q->total[i] == q->total[i]) sum += q->total[i];
    return sum / ((double)(rows_done(q, at) + 1) * (double)q->in->frames / q->fps);
}

static int interrupted_at(const run *r, inference *q, int64_t at) {
    if (!checkpoint_save(r, q, at) || !files_tell(q, rows_done(q, at), rows_end)) return FAILED;
    fprintf(stderr,
            "vdi: interrupted after %lld of %lld neurons; go on with: vdi spikes infer "
            "--resume %s\n",
            (long long)at, (long long)q->neurons.count, q->folder);
    return INTERRUPTED;
}

static int infer_all(run *r, const spikes_method *m, const spikes_infer_options *want,
                     inference *q) {
    const int64_t neurons = q->neurons.count;
    double saved = seconds_now();
    int64_t at;
    if (!checkpoint_load(r, q, &at) || !files_begin(r, want, at > 0, q)) return FAILED;
    part_open(r, q);
    while (at < neurons) {
        if (!part_take(q, at)) return FAILED;
        const int code = m->part(r, want, q);
        if (code != DONE) return code;
        part_sums(q);
        if (!quality_measure(r, q)) return FAILED;
        if (!part_write(r, q)) return FAILED;
        at += q->part.count;
        if (!files_tell(q, rows_done(q, at), rows_tell)) return FAILED;
        progress(r, at, neurons, "spikes/s", rate_so_far(q, at));
        if (at == neurons) break;
        if (interrupted()) {
            progress_end(r);
            return interrupted_at(r, q, at);
        }
        if (checkpoint_due(&saved, 10) && !checkpoint_save(r, q, at)) return FAILED;
    }
    progress_end(r);
    if (!checkpoint_save(r, q, at)) return FAILED;
    for (int64_t i = 0; i < neurons; i++)
        q->empty += q->nothing[i] != 0;
    return DONE;
}

/* ---- what is left behind --------------------------------------------------------------------- */

static bool params_save(const run *r, const inference *q) {
    const int64_t neurons = q->neurons.count;
    double *list = doubles(neurons * q->column_count);
    vdi_named_tensor column[INFER_COLUMNS + 1];
    column[0].name = "neuron";
    column[0].tensor = vdi_tensor_1d(q->neurons.name, VDI_F64, neurons);
    for (int k = 0; k < q->column_count; k++) {
        for (int64_t i = 0; i < neurons; i++)
            list[k * neurons + i] = q->values[i * q->column_count + k];
        column[k + 1].name = q->columns[k];
        column[k + 1].tensor = vdi_tensor_1d(list + k * neurons, VDI_F64, neurons);
    }
    const bool ok = save_csv(r, "params.csv", column, q->column_count + 1);
    free(list);
    return ok;
}

/* What is told at the end, of all files together. */
typedef struct totals {
    int64_t files, neurons, frames, empty, flagged;
    double sum, seconds;
    bool spikes; /* is the sum in spikes? else in units of the trace */
} totals;

static void totals_add(const inference *q, totals *t) {
    const int64_t neurons = q->neurons.count, frames = q->in->frames;
    for (int64_t i = 0; i < neurons; i++) {
        if (q->total[i] != q->total[i]) continue;
        t->sum += q->total[i];
        t->seconds +=
            (double)(q->neurons.begin[i + 1] - q->neurons.begin[i]) * (double)frames / q->fps;
    }
    t->files++;
    t->neurons += neurons;
    t->frames += frames;
    t->empty += q->empty;
    t->flagged += quality_tell(q);
    t->spikes = strstr(q->unit, "spikes") != NULL;
    if (q->empty > q->in->others) {
        warn("empty", "%lld of %lld neurons hold too few numbers: their results are NaN",
             (long long)(q->empty - q->in->others), (long long)neurons);
    }
}

static void tell(const run *r, const totals *t) {
    told results = {0};
    if (r->arguments > 1) told_add(&results, "files", (double)t->files);
    told_add(&results, "neurons", (double)t->neurons);
    told_add(&results, "frames", (double)t->frames);
    told_add(&results, t->spikes ? "spikes" : "trace_units", t->sum);
    told_add(&results, t->spikes ? "spikes_per_second" : "trace_units_per_second",
             t->seconds > 0 ? t->sum / t->seconds : NAN);
    told_add(&results, "empty", (double)t->empty);
    told_add(&results, "flagged", (double)t->flagged);
    print_results(r, results.key, results.value, results.count);
}

static void neurons_make(inference *q) {
    const int64_t neurons = q->neurons.count;
    q->values = doubles(neurons * q->column_count);
    q->nothing = doubles(neurons);
    q->total = doubles(neurons);
    q->unusual = doubles(neurons);
    q->quality = doubles(neurons * quality_columns());
    q->picture = (uint8_t *)calloc((size_t)neurons * PICTURE + 1, 1);
    if (!q->picture) exit(fail("out of memory"));
    for (int64_t i = 0; i < neurons; i++)
        q->unusual[i] = NAN;
}

static void inference_free(inference *q) {
    rows_out *file[FILES];
    files_of(q, file);
    for (int i = 0; i < FILES; i++)
        rows_leave(file[i]);
    part_close(&q->part);
    neurons_free(&q->neurons);
    free(q->values);
    free(q->nothing);
    free(q->total);
    free(q->unusual);
    free(q->quality);
    free(q->picture);
}

static int infer_source(run *r, const spikes_infer_options *want, const spikes_method *m,
                        inference *q, rows_in *truth, totals *sum) {
    int64_t from, to;
    int code;
    if (!neurons_read(want->trials, q->in, &q->neurons)) return FAILED;
    if (want->shard) {
        if (!shard_range(want->shard, q->neurons.count, &from, &to)) return USAGE;
        if (from == to)
            return fail("--shard %s: there are %lld neurons", want->shard,
                        (long long)q->neurons.count);
        neurons_keep(q->in, from, to, &q->neurons);
    }
    if ((code = m->begin(r, want, q)) != DONE) return code;
    if (want->truth) {
        if (!rows_open(want->truth, false, truth)) return FAILED;
        if (truth->rows != q->in->rows || truth->columns != q->in->frames) {
            return fail("expected counts for %lld neurons and %lld frames, got (%lld,%lld), in %s",
                        (long long)q->in->rows, (long long)q->in->frames, (long long)truth->rows,
                        (long long)truth->columns, want->truth);
        }
    }
    neurons_make(q);
    if (!run_open_out(r)) return FAILED;
    if ((code = infer_all(r, m, want, q)) != DONE) return code;
    if (!params_save(r, q) || !quality_save(r, q)) return FAILED;
    if (!spikes_report(r, q, want->truth ? truth : NULL, want->report,
                       want->model ? want->model : m->name))
        return FAILED;
    if (!files_tell(q, q->neurons.rows, rows_end)) return FAILED;
    totals_add(q, sum);
    return DONE;
}

/* ---- the report of a fit --------------------------------------------------------------------- */

/* The sums and the quality of all neurons, from the arrays that are there. */
static bool results_read(run *r, inference *q) {
    const int64_t n = q->in->frames;
    bool ok = true;
    part_open(r, q);
    for (int64_t at = 0; ok && at < q->neurons.count; at += q->part.count) {
        ok = part_take(q, at);
        for (int64_t i = 0; ok && i < q->part.rows; i++)
            ok = rows_back(&q->spikes_file, q->part.row[i], q->part.spikes + i * n);
        if (ok) part_sums(q);
        ok = ok && quality_measure(r, q);
    }
    return ok;
}

bool spikes_report_run(run *r, const recording *in, const char *method) {
    const trace_options plain = {0};
    trace_source source;
    inference q = {0};
    rows_shape shape = {0};
    if (!source_open(in->file, &plain, &source)) return false;
    q.in = &source;
    q.fps = in->fps;
    q.unit = "expected spikes per frame";
    shape.dtype = VDI_F64;
    shape.columns = source.frames;
    bool ok = neurons_read(NULL, &source, &q.neurons) &&
              rows_begin(r, "spikes", &shape, true, &q.spikes_file) &&
              rows_begin(r, "probability", &shape, true, &q.probability_file) &&
              rows_begin(r, "denoised", &shape, true, &q.denoised_file);
    if (ok) neurons_make(&q);
    ok = ok && results_read(r, &q) && quality_save(r, &q) && spikes_report(r, &q, NULL, 8, method);
    inference_free(&q);
    source_close(&source);
    return ok;
}

/* One file (or Suite2p folder) of traces; `folder`: of the whole run. */
static int infer_file(run *r, const spikes_infer_options *want, const char *path,
                      const char *folder, totals *sum) {
    const trace_options how = {want->transpose, want->suite2p != NULL, want->neuropil};
    const spikes_method *m = spikes_method_of(want);
    trace_source in;
    rows_in truth = {0};
    inference q = {0};
    int code = FAILED;
    if (!source_open(path, &how, &in)) return FAILED;
    q.in = &in;
    q.folder = folder;
    q.S = want->samples;
    q.fps = want->fps > 0 ? want->fps : in.fps;
    if (in.rows < 1 || in.frames < 1) {
        (void)fail("expected at least one neuron and one frame, got %lld neurons of %lld frames, "
                   "in %s",
                   (long long)in.rows, (long long)in.frames, path);
    } else if (!fps_given(q.fps)) {
        code = USAGE;
    } else {
        code = infer_source(r, want, m, &q, &truth, sum);
    }
    if (m->end) m->end(&q);
    inference_free(&q);
    if (truth.path) rows_close(&truth);
    source_close(&in);
    return code;
}

/* ---- several files --------------------------------------------------------------------------- */

enum { STEM = 256 };

/* The folder of a file's results: its name without folder and ending; "a.npz:y" is a-y. */
static void stem_of(const char *path, char stem[STEM]) {
    const char *slash = strrchr(path, '/');
    snprintf(stem, STEM, "%s", slash ? slash + 1 : path);
    char *member = strchr(stem, ':'), *dot;
    if (member) *member = 0;
    dot = strrchr(stem, '.');
    if (dot && dot != stem) *dot = 0;
    if (!member) return;
    const char *name = strchr(slash ? slash + 1 : path, ':') + 1;
    const size_t used = strlen(stem);
    snprintf(stem + used, STEM - used, "-%s", name);
}

static bool stems_differ(const run *r) {
    char a[STEM], b[STEM];
    for (int i = 1; i < r->arguments; i++) {
        stem_of(r->argument[i], a);
        for (int k = 0; k < i; k++) {
            stem_of(r->argument[k], b);
            if (strcmp(a, b) != 0) continue;
            (void)usage("expected files of different names, as each has a folder of its own, got "
                        "%s and %s",
                        r->argument[k], r->argument[i]);
            return false;
        }
    }
    return true;
}

/* Each file in a folder of its own within --out; of a share of the files those that are in it. */
static int infer_files(run *r, const spikes_infer_options *want, totals *sum) {
    spikes_infer_options each = *want;
    int64_t from = 0, to = r->arguments;
    int code = DONE;
    if (want->trials || want->truth) {
        return usage("--%s is of one file, and there are %d", want->trials ? "trials" : "truth",
                     r->arguments);
    }
    if (!stems_differ(r)) return USAGE;
    if (want->shard && !shard_range(want->shard, r->arguments, &from, &to)) return USAGE;
    if (from == to) return fail("--shard %s: there are %d files", want->shard, r->arguments);
    if (!run_open_out(r)) return FAILED;
    each.shard = NULL;
    for (int64_t i = from; code == DONE && i < to; i++) {
        run one = *r;
        char stem[STEM];
        stem_of(r->argument[i], stem);
        char *folder = path_join(r->out, stem);
        one.out = folder;
        one.options = &each;
        one.argument[0] = r->argument[i];
        one.arguments = 1;
        warn_of(r->argument[i]);
        code = infer_file(&one, &each, r->argument[i], r->out, sum);
        free(folder);
        if (code == DONE && i + 1 < to && interrupted()) {
            fprintf(stderr, "vdi: interrupted; go on with: vdi spikes infer --resume %s\n", r->out);
            code = INTERRUPTED;
        }
    }
    warn_of(NULL);
    return code;
}

static int infer_main(run *r, void *options) {
    const spikes_infer_options *want = (const spikes_infer_options *)options;
    totals sum = {0};
    int code;
    if (want->suite2p && r->arguments)
        return usage("--suite2p FOLDER stands for the traces: '%s' is one too many",
                     r->argument[0]);
    if (!want->suite2p && !r->arguments) return usage("expected TRACES, or --suite2p FOLDER");
    if (r->arguments > 1)
        code = infer_files(r, want, &sum);
    else
        code = infer_file(r, want, want->suite2p ? want->suite2p : r->argument[0], r->out, &sum);
    if (code == DONE) tell(r, &sum);
    return code;
}

#define OASIS_OPTION(name, value, member) \
    OPTION_OF(name, value, NULL, spikes_infer_options, oasis, vdi_oasis_desc_fields, member)
static const option infer_rows[] = {
    FPS_OPTION(spikes_infer_options),
    OPTION("method", "NAME",
           VDI_FIELD_ENUM(spikes_infer_options, method, spikes_method_words,
                          "how: the network that vdi ships with, or OASIS")),
    OPTION_TEXT(spikes_infer_options, model, "model", "FILE", NULL,
                "a network that vdi spikes fit has learned: its model.safetensors or its folder"),
    OPTION_GROUP("what is read"),
    OPTION("transpose", NULL,
           VDI_FIELD_BOOL(spikes_infer_options, transpose,
                          "the file is (frames,neurons); of a table: rows are neurons")),
    OPTION_TEXT(spikes_infer_options, trials, "trials", "IDS.npy", NULL,
                "the neuron of each row: rows of one neuron are its trials and share their "
                "statistics (as (neurons,trials,frames) do)"),
    OPTION_TEXT(spikes_infer_options, suite2p, "suite2p", "FOLDER", NULL,
                "Suite2p's F.npy minus a share of Fneu.npy, for the cells of iscell.npy; other "
                "rows are NaN; frames per second from ops.npy where that can be read"),
    OPTION(
        "neuropil", "SHARE",
        VDI_FIELD_REAL(spikes_infer_options, neuropil, 0.7, 0, 2, "of Fneu.npy that is taken off")),
    OPTION_TEXT(spikes_infer_options, shard, "shard", "I/N", NULL,
                "only share I of N of the neurons (of the files, if there are several), for array "
                "jobs"),
    OPTION_GROUP("what is written"),
    OPTION("dtype", "f8|f4",
           VDI_FIELD_ENUM(spikes_infer_options, dtype, dtype_words,
                          "of the arrays: 8 or 4 bytes a number")),
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
    .arguments = "TRACES...",
    .least = 0,
    .most = 256,
    .out = true,
    .summary =
        "Spikes from fluorescence, (neurons,frames) or (frames,), any unit, NaN where a frame is "
        "missing; a table has a neuron in each column. Writes spikes.npy (expected spikes per "
        "frame), deviation.npy (their standard deviation), probability.npy (of at least one; "
        "OASIS has none, so 1 where it has an event), denoised.npy, all of the shape of the input, "
        "params.csv, quality.csv and report.html. OASIS's spikes are in units of the trace unless "
        "--spike-size "
        "says more. Rows are written as they are done, so memory does not grow with their number. "
        "Of "
        "several files each has its results in a folder of its name.",
    .example = "vdi spikes infer traces.npy --fps 30 --out run",
    COMMAND_OPTIONS(infer_rows),
    .size = sizeof(spikes_infer_options),
    .main = infer_main,
};
