/* examples/vdi/spikes_fit.c - vdi spikes fit | spine: DeepSpike learned on the traces at hand, and
 * what it says of them */

#include "spikes_fit.h"

/* A network with the traces it learns from, and how it went. */
typedef struct fitting {
    vdi_deepspike *net;
    vdi_deepspike_data *data;
    double *trace; /* (rows, TRACE_COLUMNS) */
    int64_t rows, room;
    double fps;
    bool watched; /* for a collapse: no probability leaves its floor */
    int attempt;  /* 0 at first, one more for each collapse */
} fitting;

enum { ATTEMPTS = 3, COLLAPSED = -1 };

/* ---- files ----------------------------------------------------------------------------------- */

/* The library's own state with what the tool has to know besides. */
static bool fitting_save(const run *r, fitting *f, const char *name, bool training) {
    const vdi_deepspike_generative *g = &vdi_deepspike_description(f->net)->generative;
    char fps[VDI_TEXT_NUMBER], drift[VDI_TEXT_NUMBER], attempt[VDI_TEXT_NUMBER];
    vdi_state *s = state_copy(vdi_deepspike_state(f->net, f->data, training), 1, 6);
    if (training) {
        state_add(s, "trace", vdi_tensor_2d(f->trace, VDI_F64, f->rows, TRACE_COLUMNS));
    }
    (void)vdi_text_double(fps, f->fps, 0);
    (void)vdi_text_double(drift, g->calcium.drift, 0);
    state_note(s, "family", "spikes");
    state_note(s, "version", VDI_VERSION);
    state_note(s, "generative", vdi_calcium_name(g->calcium.model));
    state_note(s, "fps", fps);
    state_note(s, "drift", drift);
    snprintf(attempt, sizeof attempt, "%d", f->attempt);
    if (training) state_note(s, "attempt", attempt);
    return state_save(r, name, s);
}

/* The attempt that a resumed run was in. */
static int attempt_of(const run *r) {
    vdi_safetensors file;
    int64_t attempt = 0;
    char *path = path_join(r->out, "checkpoint.safetensors");
    if (r->resume && file_exists(path) && vdi_safetensors_load(path, NULL, &file, NULL) >= 0) {
        const char *text = vdi_safetensors_meta(&file, "attempt");
        if (text) (void)vdi_text_parse_int(text, strlen(text), &attempt);
        vdi_safetensors_free(&file);
    }
    free(path);
    return attempt > 0 && attempt < ATTEMPTS ? (int)attempt : 0;
}

static bool checkpoint_load(const run *r, fitting *f) {
    vdi_error err = {0};
    vdi_safetensors file;
    char *path = path_join(r->out, "checkpoint.safetensors");
    bool ok = true;
    if (r->resume && file_exists(path)) {
        ok = vdi_safetensors_load(path, NULL, &file, &err) == VDI_OK;
        if (ok) {
            const vdi_tensor t = vdi_safetensors_find(&file, "trace");
            if (t.ndim != 2 || t.dtype != VDI_F64 || t.shape[1] != TRACE_COLUMNS ||
                t.shape[0] > f->room) {
                ok = false;
                (void)vdi_error_set(&err, VDI_ERR_FORMAT, "resume",
                                    "expected a trace of at most %lld steps", (long long)f->room);
            } else {
                ok = vdi_safetensors_copy_to(&file, vdi_deepspike_state(f->net, f->data, true),
                                             &err) == VDI_OK;
                f->rows = t.shape[0];
                memcpy(f->trace, t.data, (size_t)(f->rows * TRACE_COLUMNS) * sizeof *f->trace);
            }
            vdi_safetensors_free(&file);
        }
        if (!ok) (void)fail_error(&err, path);
    }
    free(path);
    return ok;
}

/* theta of each cell in natural units: of the normalised trace, and alpha, beta, sigma back in the
 * trace's own. */
static bool params_save(const run *r, const fitting *f) {
    const vdi_deepspike_generative *g = &vdi_deepspike_description(f->net)->generative;
    const int64_t cells = vdi_deepspike_data_cells(f->data);
    vdi_named_tensor column[VDI_CALCIUM_PARAMS + 5];
    int count = 0, n = 0;
    const vdi_calcium_param *p = vdi_calcium_params(g->calcium.model, &count);
    double *v = doubles(cells * (count + 1));
    column[n].name = "neuron";
    column[n++].tensor = vdi_tensor_1d(v, VDI_F64, cells);
    for (int64_t i = 0; i < cells; i++)
        v[i] = (double)i;
    for (int k = 0; k < count; k++) {
        double *to = v + (k + 1) * cells;
        const bool second = count == 9 && k > 3; /* a spine's own */
        for (int64_t i = 0; i < cells; i++) {
            double shift, scale;
            vdi_deepspike_data_scale(f->data, i, second ? 1 : 0, &shift, &scale);
            to[i] = vdi_calcium_natural(p[k].map, vdi_deepspike_data_theta(f->data, i)[k]);
            if (!strncmp(p[k].name, "alpha", 5) || !strncmp(p[k].name, "sigma", 5)) to[i] *= scale;
            if (!strncmp(p[k].name, "beta", 4)) to[i] = shift + scale * to[i];
        }
        column[n].name = p[k].name;
        column[n++].tensor = vdi_tensor_1d(to, VDI_F64, cells);
    }
    const bool ok = save_csv(r, "params.csv", column, n);
    free(v);
    return ok;
}

bool spikes_trace_save(const run *r, double *trace, int64_t rows) {
    static const char *const name[TRACE_COLUMNS] = {"step", "bound", "sleep", "rate"};
    enum { WINDOW = 50 };
    vdi_named_tensor column[TRACE_COLUMNS];
    vdi_error err = {0};
    const vdi_tensor all = vdi_tensor_2d(trace, VDI_F64, rows, TRACE_COLUMNS);
    for (int i = 0; i < TRACE_COLUMNS; i++) {
        column[i].name = name[i];
        column[i].tensor = vdi_tensor_index(all, 1, i);
    }
    char *svg = path_join(r->out, "trace.svg");
    double *smooth = doubles(rows), sum = 0;
    for (int64_t i = 0; i < rows; i++) {
        sum += trace[i * TRACE_COLUMNS + TRACE_BOUND];
        if (i >= WINDOW) sum -= trace[(i - WINDOW) * TRACE_COLUMNS + TRACE_BOUND];
        smooth[i] = sum / (double)(i < WINDOW ? i + 1 : WINDOW);
    }
    bool ok = save_csv(r, "trace.csv", column, TRACE_COLUMNS);
    vdi_figure figure;
    vdi_figure_desc desc = {0};
    desc.title = "Bound against step";
    desc.height = 260;
    vdi_figure_init(&figure, &desc);
    vdi_panel *p = vdi_figure_panel(&figure, 0, 0);
    p->x.label = "step";
    p->y.label = "nats per bin";
    if (rows > 20) { /* the first steps would fill the axis */
        double low = HUGE_VAL, high = -HUGE_VAL;
        for (int64_t i = rows / 10; i < rows; i++) {
            low = fmin(low, smooth[i]);
            high = fmax(high, smooth[i]);
        }
        if (high > low) {
            p->y.has_limits = true;
            p->y.low = low - 0.3 * (high - low);
            p->y.high = high + 0.3 * (high - low);
        }
    }
    vdi_series *s =
        vdi_panel_line(p, "snippets of one neuron", vdi_tensor_index(all, 1, TRACE_BOUND));
    s->x = vdi_tensor_index(all, 1, TRACE_STEP);
    s->color = VDI_COLOR_GREY;
    s->width = 0.7;
    s = vdi_panel_line(p, "mean of 50 steps", vdi_tensor_1d(smooth, VDI_F64, rows));
    s->x = vdi_tensor_index(all, 1, TRACE_STEP);
    s->color = VDI_COLOR_BLUE;
    if (ok && !save_svg(svg, &figure, &err)) {
        ok = false;
        (void)fail_error(&err, svg);
    }
    vdi_figure_free(&figure);
    free(svg);
    free(smooth);
    return ok;
}

/* ---- inference ----------------------------------------------------------------------------------
 */

/* From what the library gives for (neurons, streams, bins) to what the commands write. */
static int results_fill(run *r, fitting *f, spikes_fitted *out) {
    vdi_error err = {0};
    const vdi_deepspike_desc *d = vdi_deepspike_description(f->net);
    const int64_t N = vdi_deepspike_data_traces(f->data);
    const int64_t T = vdi_deepspike_data_frames(f->data);
    const int64_t R = d->upsample;
    const int64_t rows = N * d->generative.streams;
    vdi_deepspike_result result = {0};
    vdi_deepspike_query q = {0};
    double *p = doubles(rows * T * R);
    (void)r;
    result.probability = p;
    result.expected = out->spikes;
    result.denoised = out->denoised;
    result.sample = out->sample;
    q.samples = out->samples;
    q.seed = r->seed + (uint64_t)out->first;
    if (d->posterior == VDI_DEEPSPIKE_CORRELATED && q.samples < 20)
        q.samples = out->sample ? q.samples : 20;
    const bool ok = vdi_deepspike_infer(f->net, f->data, &q, &result, &err) >= 0;
    for (int64_t i = 0; ok && out->probability && i < rows * T; i++) {
        double none = 1;
        for (int64_t k = 0; k < R; k++)
            none *= 1 - p[i * R + k];
        out->probability[i] = 1 - none;
    }
    if (ok && out->grid) memcpy(out->grid, p, (size_t)(rows * T * R) * sizeof *p);
    free(p);
    return ok ? DONE : fail_error(&err, r->argument[0]);
}

/* A file of a network, or the folder of the run that wrote it. */
static bool fitted_open(const char *path, vdi_safetensors *file, char **where) {
    vdi_error err = {0};
    const bool folder = folder_exists(path);
    *where = folder ? path_join(path, "model.safetensors") : strdup(path);
    if (!*where) exit(fail("out of memory"));
    if (vdi_safetensors_load(*where, NULL, file, &err) >= 0) return true;
    (void)fail_error(&err, *where);
    free(*where);
    return false;
}

/* What it says of itself: the description, and the calcium model with its bin. */
static int fitted_describe(const vdi_safetensors *file, const char *path, vdi_deepspike_desc *desc,
                           double *fps) {
    vdi_error err = {0};
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    const char *generative = vdi_safetensors_meta(file, "generative");
    const char *own_fps = vdi_safetensors_meta(file, "fps");
    const char *drift = vdi_safetensors_meta(file, "drift");
    if (!generative || !own_fps || !vdi_calcium_find(generative, &c.model))
        return fail("expected a network that vdi spikes fit has written, in %s", path);
    if (vdi_deepspike_desc_from_meta(file->state.meta, file->state.meta_count, desc, &err) < 0)
        return fail_error(&err, path);
    (void)vdi_text_parse_double(own_fps, strlen(own_fps), fps);
    c.bin = 1 / (*fps * (double)desc->upsample);
    if (drift) (void)vdi_text_parse_double(drift, strlen(drift), &c.drift);
    desc->generative = vdi_deepspike_calcium(&c);
    if (desc->generative.streams != 1)
        return fail("expected a network of one trace, got one of a spine, in %s", path);
    return DONE;
}

/* The parameters of the cells, if these traces are those of the fit. */
static int cells_read(const vdi_safetensors *file, const char *path, int64_t rows,
                      spikes_fitted *out, fitting *f) {
    vdi_error err = {0};
    const int64_t P = vdi_deepspike_description(f->net)->generative.theta_count;
    vdi_tensor theta = vdi_safetensors_find(file, "cells.theta");
    const vdi_tensor own = vdi_tensor_2d(vdi_deepspike_data_theta(f->data, 0), VDI_F64, rows, P);
    if (vdi_safetensors_copy_to(file, vdi_deepspike_state(f->net, NULL, false), &err) < 0)
        return fail_error(&err, path);
    out->cells_known = vdi_tensor_ok(theta) && theta.ndim == 2 && theta.shape[0] == out->total &&
                       theta.shape[1] == P;
    if (!out->cells_known) return DONE;
    theta = vdi_tensor_slice(theta, 0, out->first, 1, rows);
    return vdi_tensor_copy(own, theta, &err) < 0 ? fail_error(&err, path) : DONE;
}

static int fitted_run(run *r, const vdi_safetensors *file, const char *path, int64_t rows,
                      int64_t frames, const double *traces, vdi_deepspike_desc *desc,
                      spikes_fitted *out) {
    vdi_error err = {0};
    vdi_deepspike_data_desc dd = {0};
    fitting f = {0};
    int code;
    desc->pool = r->pool;
    dd.traces = vdi_tensor_2d((void *)(uintptr_t)traces, VDI_F64, rows, frames);
    if (vdi_deepspike_create(desc, &f.net, &err) < 0 ||
        vdi_deepspike_data_create(f.net, &dd, &f.data, &err) < 0)
        code = fail_error(&err, path);
    else if ((code = cells_read(file, path, rows, out, &f)) == DONE)
        code = results_fill(r, &f, out);
    vdi_deepspike_data_destroy(f.data);
    vdi_deepspike_destroy(f.net);
    return code;
}

int spikes_fitted_infer(run *r, const char *path, int64_t rows, int64_t frames,
                        const double *traces, double fps, spikes_fitted *out,
                        vdi_pretrained **tuned) {
    vdi_safetensors file;
    vdi_deepspike_desc desc;
    double own_fps = 0;
    char *where;
    int code = DONE;
    if (!fitted_open(path, &file, &where)) return FAILED;
    const char *kind = vdi_safetensors_meta(&file, "model");
    if (tuned && kind && strcmp(kind, "pretrained") == 0) {
        *tuned = spikes_tuned_open(&file, where);
        if (!*tuned) code = FAILED;
    } else {
        code = fitted_describe(&file, where, &desc, &own_fps);
        if (code == DONE && !(fabs(fps / own_fps - 1) < 0.02)) {
            code = fail("expected traces of %g Hz, as the network was fitted on, got --fps %g, in "
                        "%s",
                        own_fps, fps, where);
        }
        if (code == DONE) out->upsample = desc.upsample;
        if (code == DONE && traces)
            code = fitted_run(r, &file, where, rows, frames, traces, &desc, out);
    }
    vdi_safetensors_free(&file);
    free(where);
    return code;
}

/* ---- learning -----------------------------------------------------------------------------------
 */

/* Does the network say of every bin that there is no spike? */
static bool is_collapsed(run *r, fitting *f) {
    const vdi_deepspike_desc *d = vdi_deepspike_description(f->net);
    const int64_t bins = vdi_deepspike_data_traces(f->data) * vdi_deepspike_data_frames(f->data) *
                         d->upsample * d->generative.streams;
    vdi_deepspike_query q = {0};
    vdi_deepspike_result result = {0};
    double most = 0;
    result.probability = doubles(bins);
    q.seed = r->seed;
    const bool known = vdi_deepspike_infer(f->net, f->data, &q, &result, NULL) >= 0;
    for (int64_t i = 0; i < bins; i++)
        most = fmax(most, result.probability[i]);
    free(result.probability);
    return known && most < 3 * d->floor;
}

/* A collapse is looked for after a quarter, half and all of the steps. */
static bool is_time_to_look(const fitting *f) {
    return f->watched && (f->rows == f->room / 4 || f->rows == f->room / 2 || f->rows == f->room);
}

/* The schedule with checkpoints; DONE, INTERRUPTED, COLLAPSED, or FAILED. */
static int learn(run *r, const spikes_fit_options *want, bool go_on, fitting *f) {
    vdi_error err = {0};
    double saved = seconds_now();
    f->room = vdi_deepspike_description(f->net)->train.steps;
    f->trace = doubles(f->room * TRACE_COLUMNS + 1);
    if (go_on && !checkpoint_load(r, f)) return FAILED;
    while (!interrupted()) {
        vdi_deepspike_progress p;
        const vdi_status status = vdi_deepspike_step(f->net, f->data, &p, &err);
        if (status == VDI_END) break;
        if (status < 0) return fail_error(&err, r->argument[0]);
        double *row = f->trace + f->rows++ * TRACE_COLUMNS;
        row[TRACE_STEP] = (double)p.step;
        row[TRACE_BOUND] = p.bound;
        row[TRACE_SLEEP] = p.sleep;
        row[TRACE_RATE] = p.rate;
        progress(r, p.step, p.steps, "bound per bin", p.bound);
        if (is_time_to_look(f) && f->attempt + 1 < ATTEMPTS && is_collapsed(r, f)) {
            progress_end(r);
            return COLLAPSED;
        }
        if (checkpoint_due(&saved, want->save_every)) {
            if (!fitting_save(r, f, "checkpoint.safetensors", true)) return FAILED;
        }
    }
    progress_end(r);
    if (!fitting_save(r, f, "checkpoint.safetensors", true)) return FAILED;
    if (f->rows < f->room) {
        if (!fitting_save(r, f, "model.safetensors", false)) return FAILED;
        fprintf(stderr,
                "vdi: interrupted after %lld of %lld steps, with a model of these; go on with: vdi "
                "spikes %s --resume %s\n",
                (long long)f->rows, (long long)f->room, r->command->verb, r->out);
        return INTERRUPTED;
    }
    return DONE;
}

/* What both verbs ask for in the same words. `estimator`: where none is asked for; run.json then
 * tells it. */
static int desc_read(const run *r, spikes_fit_options *want, vdi_calcium_model model,
                     int64_t frames, vdi_deepspike_estimator estimator, vdi_deepspike_desc *desc) {
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    vdi_deepspike_train *t = &desc->train;
    const double fps = want->fps;
    *desc = want->net;
    desc->upsample = want->upsample;
    if (desc->upsample == 0) desc->upsample = fps < 30 ? (int64_t)fmin(ceil(30 / fps), 64) : 1;
    const double bins = fps * (double)desc->upsample;
    if (!(want->rate / bins < 0.9)) {
        return usage("--rate: expected spikes a second, fewer than the %g bins, got %g", bins,
                     want->rate);
    }
    c.model = model;
    c.bin = 1 / bins;
    c.drift = want->drift * bins;
    desc->generative = vdi_deepspike_calcium(&c);
    desc->normalise = true;
    desc->pool = r->pool;
    for (int i = 0; i < VDI_DEEPSPIKE_STREAMS; i++)
        desc->prior_rate[i] = want->rate / bins;
    if (option_given(r, "estimator") < IN_FILE) want->net.train.estimator = estimator;
    t->estimator = want->net.train.estimator;
    t->dreams = 32;
    t->snippet = (int64_t)(5 * fps) > 64 ? (int64_t)(5 * fps) : 64;
    if (t->snippet > frames) t->snippet = frames;
    t->theta_factor = 60;
    t->schedule.kind = VDI_SCHEDULE_COSINE;
    t->schedule.steps = t->steps;
    t->schedule.last = 0.05;
    t->seed = r->seed;
    return DONE;
}

/* The amplitude of one spike to begin with, from how far the trace rises: too small a one ends in
 * many small spikes that explain noise. */
static void amplitudes_begin(fitting *f, const double *traces, int64_t neurons, int64_t frames) {
    double *v = doubles(frames);
    for (int64_t i = 0; i < neurons; i++) {
        int64_t n = 0;
        double shift, scale;
        vdi_deepspike_data_scale(f->data, i, 0, &shift, &scale);
        for (int64_t t = 0; t < frames; t++)
            if (is_finite(traces[i * frames + t]))
                v[n++] = (traces[i * frames + t] - shift) / scale;
        double top = 0;
        for (int round = 0; round < 2; round++) {
            /* the 99th percentile, by counting down from the top */
            double low = -1e9, high = 1e9;
            for (int k = 0; k < 60; k++) {
                const double middle = 0.5 * (low + high);
                int64_t above = 0;
                for (int64_t t = 0; t < n; t++)
                    above += v[t] > middle;
                if (above * 100 > n)
                    low = middle;
                else
                    high = middle;
            }
            top = high;
        }
        const double alpha = fmin(fmax(top / 3, 0.2), 20);
        vdi_deepspike_data_theta(f->data,
                                 i)[vdi_deepspike_description(f->net)->generative.amplitude] =
            vdi_calcium_raw(VDI_CALCIUM_SOFTPLUS, alpha);
        vdi_deepspike_data_theta(
            f->data, i)[vdi_deepspike_description(f->net)->generative.theta_count - 2] = 0;
        vdi_deepspike_data_theta(f->data,
                                 i)[vdi_deepspike_description(f->net)->generative.theta_count - 1] =
            vdi_calcium_raw(VDI_CALCIUM_SOFTPLUS, 0.1);
    }
    free(v);
}

static void fitting_free(fitting *f) {
    vdi_deepspike_data_destroy(f->data);
    vdi_deepspike_destroy(f->net);
    free(f->trace);
}

static double mean_tail(const fitting *f, int column) {
    double sum = 0;
    const int64_t n = f->rows < 100 ? f->rows : 100;
    for (int64_t i = f->rows - n; i < f->rows; i++)
        sum += f->trace[i * TRACE_COLUMNS + column];
    return sum / (double)n;
}

/* The labels of --truth, in frames or in bins: then a bin is a frame. */
static int labels_read(const spikes_fit_options *want, const recording *in,
                       vdi_deepspike_desc *desc, vdi_tensor *truth) {
    const int64_t neurons = in->neurons, frames = in->frames;
    if (!array_load(want->truth, truth)) return FAILED;
    if (truth->ndim == 1) *truth = vdi_tensor_2d(truth->data, VDI_F64, 1, truth->shape[0]);
    desc->train.estimator = VDI_DEEPSPIKE_SUPERVISED;
    if (truth->ndim != 2 || truth->shape[0] != neurons ||
        (truth->shape[1] != frames && truth->shape[1] != frames * desc->upsample)) {
        return fail("expected the spikes of %lld neurons in %lld frames (or %lld bins), in %s",
                    (long long)neurons, (long long)frames, (long long)(frames * desc->upsample),
                    want->truth);
    }
    if (truth->shape[1] == frames) desc->upsample = 1;
    vdi_calcium_desc c = desc->generative.calcium;
    c.bin = 1 / (want->fps * (double)desc->upsample);
    desc->generative = vdi_deepspike_calcium(&c);
    return DONE;
}

/* The weights of --init. */
static int init_read(const char *path, vdi_deepspike *net) {
    vdi_error err = {0};
    vdi_safetensors file;
    if (vdi_safetensors_load(path, NULL, &file, &err) < 0) return fail_error(&err, path);
    const bool ok =
        vdi_safetensors_copy_to(&file, vdi_deepspike_state(net, NULL, false), &err) >= 0;
    vdi_safetensors_free(&file);
    return ok ? DONE : fail_error(&err, path);
}

/* What a fit leaves, and tells. */
static int fit_leave(run *r, fitting *f, const recording *in) {
    static const char *const keys[] = {"bound_per_bin", "steps", "upsample", "expected_spikes"};
    const int64_t neurons = in->neurons, frames = in->frames;
    const int64_t shape[2] = {neurons, frames};
    spikes_fitted out = {0};
    out.spikes = doubles(neurons * frames);
    out.probability = doubles(neurons * frames);
    out.denoised = doubles(neurons * frames);
    int code = results_fill(r, f, &out);
    if (code == DONE &&
        !(fitting_save(r, f, "model.safetensors", false) && params_save(r, f) &&
          spikes_trace_save(r, f->trace, f->rows) &&
          array_save(r, "spikes", 2, shape, out.spikes) &&
          array_save(r, "probability", 2, shape, out.probability) &&
          array_save(r, "denoised", 2, shape, out.denoised) && spikes_report_run(r, in, "fitted")))
        code = FAILED;
    const double values[] = {mean_tail(f, TRACE_BOUND), (double)f->rows,
                             (double)vdi_deepspike_description(f->net)->upsample,
                             vdi_sum(VDI_F64, (size_t)(neurons * frames), out.spikes)};
    if (code == DONE) print_results(r, keys, values, 4);
    free(out.spikes);
    free(out.probability);
    free(out.denoised);
    return code;
}

/* The network and the traces of an attempt. */
static int fit_begin(run *r, spikes_fit_options *want, vdi_calcium_model model, const recording *in,
                     vdi_tensor *truth, fitting *f) {
    const bool correlated = want->net.posterior == VDI_DEEPSPIKE_CORRELATED;
    vdi_deepspike_desc desc;
    vdi_deepspike_data_desc dd = {0};
    vdi_error err = {0};
    f->fps = want->fps;
    int code = desc_read(r, want, model, in->frames,
                         correlated ? VDI_DEEPSPIKE_WAKE_SLEEP : VDI_DEEPSPIKE_VIMCO, &desc);
    desc.train.seed = r->seed + (uint64_t)f->attempt;
    if (code == DONE && want->truth) code = labels_read(want, in, &desc, truth);
    if (code != DONE) return code;
    f->watched = !want->truth;
    if (vdi_deepspike_create(&desc, &f->net, &err) < 0) return fail_error(&err, NULL);
    dd.traces = traces_matrix(in);
    if (want->truth) dd.spikes = *truth;
    if (vdi_deepspike_data_create(f->net, &dd, &f->data, &err) < 0)
        return fail_error(&err, in->file);
    amplitudes_begin(f, (const double *)in->y.data, in->neurons, in->frames);
    return want->init ? init_read(want->init, f->net) : DONE;
}

/* Attempts until one has not collapsed, each from another seed. */
static int fit(run *r, spikes_fit_options *want, vdi_calcium_model model, const recording *in,
               vdi_tensor *truth, fitting *f) {
    f->attempt = attempt_of(r);
    int code = fit_begin(r, want, model, in, truth, f);
    if (code == DONE && !run_open_out(r)) code = FAILED;
    if (code == DONE) code = learn(r, want, true, f);
    while (code == COLLAPSED) {
        const int attempt = f->attempt + 1;
        warn("collapse",
             "after %lld steps the network finds no spike in any trace: started again from seed "
             "%llu (or do the traces hold none?)",
             (long long)f->rows, (unsigned long long)r->seed + (unsigned)attempt);
        fitting_free(f);
        memset(f, 0, sizeof *f);
        f->attempt = attempt;
        if ((code = fit_begin(r, want, model, in, truth, f)) == DONE)
            code = learn(r, want, false, f);
    }
    if (code != DONE) return code;
    if (f->watched && is_collapsed(r, f))
        warn("collapse", "the network finds no spike in any trace");
    return fit_leave(r, f, in);
}

static int fit_main(run *r, void *options) {
    spikes_fit_options *want = (spikes_fit_options *)options;
    recording in;
    vdi_tensor truth;
    vdi_calcium_model model;
    fitting f = {0};
    int code;
    const bool tune = want->init && strcmp(want->init, "pretrained") == 0;
    memset(&truth, 0, sizeof truth);
    if (!fps_given(want->fps)) return USAGE;
    if (strcmp(want->model, "auto") == 0) want->model = tune ? "mlphys" : "linear";
    if (!calcium_named(want->model, &model)) return USAGE;
    if (model == VDI_CALCIUM_SPINE)
        return usage("--model: a spine has two traces; see vdi spikes spine --help");
    if (tune && want->net.posterior != VDI_DEEPSPIKE_FACTORISED)
        return usage("--init pretrained is factorised");
    if (!traces_load(r->argument[0], 16, &in)) return FAILED;
    in.fps = want->fps;
    code = tune ? spikes_tune_main(r, want, model, &in) : fit(r, want, model, &in, &truth, &f);
    vdi_tensor_free(NULL, &in.y);
    if (truth.data) vdi_tensor_free(NULL, &truth);
    fitting_free(&f);
    return code;
}

/* ---- spines ---------------------------------------------------------------------------------- */

static int spine_leave(run *r, fitting *f, int64_t spines, int64_t frames) {
    static const char *const keys[] = {"bound_per_bin", "steps", "bap_frames", "synaptic_frames"};
    static const char *const name[2][2] = {{"bap", "synaptic"},
                                           {"dendrite_denoised", "spine_denoised"}};
    const int64_t shape[2] = {spines, frames};
    const size_t each = (size_t)frames * sizeof(double);
    spikes_fitted out = {0};
    double *stream = doubles(spines * frames), count[2] = {0, 0};
    out.probability = doubles(2 * spines * frames);
    out.denoised = doubles(2 * spines * frames);
    const int code = results_fill(r, f, &out);
    bool ok = code == DONE && fitting_save(r, f, "model.safetensors", false) && params_save(r, f) &&
              spikes_trace_save(r, f->trace, f->rows);
    for (int k = 0; ok && k < 4; k++) {
        const double *from = k / 2 ? out.denoised : out.probability;
        for (int64_t i = 0; i < spines; i++)
            memcpy(stream + i * frames, from + (2 * i + k % 2) * frames, each);
        if (k < 2) count[k] = vdi_sum(VDI_F64, (size_t)(spines * frames), stream);
        ok = array_save(r, name[k / 2][k % 2], 2, shape, stream);
    }
    const double values[] = {mean_tail(f, TRACE_BOUND), (double)f->rows, count[0], count[1]};
    if (ok) print_results(r, keys, values, 4);
    free(out.probability);
    free(out.denoised);
    free(stream);
    return code != DONE ? code : ok ? DONE : FAILED;
}

/* Dendrite and spine as the two signals of a cell. */
static double *both_signals(const recording part[2]) {
    const int64_t spines = part[0].neurons, frames = part[0].frames;
    double *both = doubles(spines * 2 * frames);
    for (int64_t i = 0; i < 2 * spines; i++) {
        memcpy(both + i * frames, (const double *)part[i % 2].y.data + i / 2 * frames,
               (size_t)frames * sizeof *both);
    }
    return both;
}

static int spine(run *r, spikes_fit_options *want, const recording part[2], fitting *f) {
    const int64_t spines = part[0].neurons, frames = part[0].frames;
    vdi_deepspike_desc desc;
    vdi_deepspike_data_desc dd = {0};
    vdi_error err = {0};
    f->fps = want->fps;
    int code = desc_read(r, want, VDI_CALCIUM_SPINE, frames, VDI_DEEPSPIKE_WAKE_SLEEP, &desc);
    if (code != DONE) return code;
    if (vdi_deepspike_create(&desc, &f->net, &err) < 0) return fail_error(&err, NULL);
    double *both = both_signals(part);
    dd.traces = vdi_tensor_3d(both, VDI_F64, spines, 2, frames);
    const bool ok = vdi_deepspike_data_create(f->net, &dd, &f->data, &err) >= 0;
    free(both);
    if (!ok) return fail_error(&err, r->argument[0]);
    for (int64_t i = 0; i < spines; i++) {
        /* noise is 0.1 after normalisation; baselines begin at 0 */
        double *theta = vdi_deepspike_data_theta(f->data, i);
        theta[2] = theta[7] = 0;
        theta[3] = theta[8] = vdi_calcium_raw(VDI_CALCIUM_SOFTPLUS, 0.1);
    }
    if (!run_open_out(r)) return FAILED;
    if ((code = learn(r, want, true, f)) != DONE) return code;
    return spine_leave(r, f, spines, frames);
}

static int spine_main(run *r, void *options) {
    spikes_fit_options *want = (spikes_fit_options *)options;
    recording part[2];
    fitting f = {0};
    if (!fps_given(want->fps)) return USAGE;
    for (int i = 0; i < 2; i++)
        if (!traces_load(r->argument[i], 16, &part[i])) return FAILED;
    if (!vdi_tensor_same_shape(part[0].y, part[1].y)) {
        char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
        return fail("expected two arrays of one shape, got %s and %s, in %s",
                    vdi_tensor_shape_text(part[0].y, a), vdi_tensor_shape_text(part[1].y, b),
                    r->argument[1]);
    }
    const int code = spine(r, want, part, &f);
    vdi_tensor_free(NULL, &part[0].y);
    vdi_tensor_free(NULL, &part[1].y);
    fitting_free(&f);
    return code;
}

#define NET_OPTION(name, value, initial, member) \
    OPTION_OF(name, value, initial, spikes_fit_options, net, vdi_deepspike_desc_fields, member)
/* clang-format off */
#define LEARNING_OPTIONS(rate_, steps_) \
    NET_OPTION("estimator", "NAME", "auto", "train.estimator"), \
    NET_OPTION("steps", "N", steps_, "train.steps"), \
    NET_OPTION("batch", "N", "10", "train.batch"), \
    NET_OPTION("samples", "K", "32", "train.samples"), \
    OPTION("rate", "HZ", VDI_FIELD_REAL_FLAGS(spikes_fit_options, rate, rate_, 0, 1e4, VDI_FIELD_ABOVE, "spikes a second that the prior expects")), \
    OPTION("upsample", "R", VDI_FIELD_INT(spikes_fit_options, upsample, 0, 0, 64, "bins in a frame; 0: as many as make 30 bins a second, 1 above")), \
    OPTION("drift", "X", VDI_FIELD_REAL(spikes_fit_options, drift, 50, 0, 1e9, "how stiff the baseline is: it walks by sigma/sqrt(X) in a second; 0: constant")), \
    OPTION_GROUP("the run"), \
    OPTION_TEXT(spikes_fit_options, resume, "resume", "RUN", NULL, "go on with an interrupted run; ends in the same bits"), \
    OPTION("save-every", "S", VDI_FIELD_REAL(spikes_fit_options, save_every, 10, 0, 1e6, "seconds between checkpoints"))
/* clang-format on */

static const option fit_rows[] = {
    FPS_OPTION(spikes_fit_options),
    OPTION_TEXT(spikes_fit_options, model, "model", "NAME", "auto",
                CALCIUM_HELP "; auto: linear, with --init pretrained mlphys"),
    NET_OPTION("posterior", "NAME", NULL, "posterior"),
    OPTION_TEXT(spikes_fit_options, truth, "truth", "SPIKES.npy", NULL,
                "learn from these labels instead: (neurons,frames) or (neurons,frames*R)"),
    OPTION_TEXT(spikes_fit_options, init, "init", "FILE", NULL,
                "begin with this network: a model.safetensors of the same shape, or the word "
                "pretrained: the network that vdi ships with"),
    NET_OPTION("amplitude", NULL, NULL, "amplitude"),
    OPTION_GROUP("learning"),
    NET_OPTION("learning-rate", "X", "auto", "train.rate"),
    LEARNING_OPTIONS(1, "2000"),
};
const command spikes_fit_command = {
    .family = "spikes",
    .verb = "fit",
    .arguments = "TRACES",
    .least = 1,
    .most = 1,
    .out = true,
    .summary =
        "Learn a spike network on the traces themselves, without labels, or from --truth. TRACES "
        "is (neurons,frames) or (frames,); NaN is a missing frame. Writes model.safetensors, "
        "spikes.npy, probability.npy, denoised.npy, params.csv (in the trace's units), "
        "quality.csv, "
        "report.html, trace.csv and trace.svg (the bound). Ctrl-C leaves a model of the steps so "
        "far.",
    .example = "vdi spikes fit traces.npy --fps 30 --model mlphys --out run",
    COMMAND_OPTIONS(fit_rows),
    .size = sizeof(spikes_fit_options),
    .main = fit_main,
};

static const option spine_rows[] = {
    FPS_OPTION(spikes_fit_options),
    OPTION_GROUP("learning"),
    LEARNING_OPTIONS(0.5, "1500"),
};
const command spikes_spine_command = {
    .family = "spikes",
    .verb = "spine",
    .arguments = "DENDRITE SPINE",
    .least = 2,
    .most = 2,
    .out = true,
    .summary =
        "Tell back-propagating spikes from synaptic input in a spine, from its trace and that of "
        "the dendrite next to it: (frames,) or (spines,frames). Writes bap.npy and synaptic.npy "
        "(probability of an event in each frame), denoised traces, params.csv, model.safetensors "
        "and the bound.",
    .example = "vdi spikes spine dendrite.npy spine.npy --fps 30 --out run",
    COMMAND_OPTIONS(spine_rows),
    .size = sizeof(spikes_fit_options),
    .main = spine_main,
};
