/* examples/vdi/spikes_tune.c - vdi spikes fit --init pretrained: the network in the box goes on
 * learning on a recording's own traces
 *
 * The traces are prepared as that network wants them (baseline off, divided by their deviation, on
 * a 60 Hz grid), its answer is read as the chance of a spike in each 1/60 s, and both it and a
 * generative model of each cell follow VIMCO's bound. Grid samples between frames were
 * interpolated, so only those nearest to a frame count. The steps are small: the network knows more
 * of indicators than one recording tells.
 */
#include "spikes_fit.h"
#include "spikes_pretrained.h"

typedef struct tuning {
    vdi_pretrained *net;
    int64_t traces, samples; /* of the grid, even */
    float *x, *mask, *stats; /* (traces,samples) twice, (traces,VDI_PRETRAINED_STATS) */
    double *noise;           /* (traces) of x */
    unsigned char *label;    /* (traces,samples) where --truth has spikes, or NULL */
    double mean;             /* expected spikes in a sample, before any step */
} tuning;

static vdi_var tune_odds(vdi_tape *t, vdi_var x, const int64_t *trace, void *user) {
    tuning *u = (tuning *)user;
    int64_t shape[3];
    float *row;
    shape[0] = vdi_var_dim(t, x, 0);
    shape[1] = vdi_var_dim(t, x, 1);
    shape[2] = 1;
    row = (float *)malloc((size_t)shape[0] * VDI_PRETRAINED_STATS * sizeof *row);
    if (!row) return vdi_tape_fail(t, VDI_ERR_MEMORY, "spikes fit", "no memory");
    for (int64_t b = 0; b < shape[0]; b++) {
        memcpy(row + b * VDI_PRETRAINED_STATS, u->stats + trace[b] * VDI_PRETRAINED_STATS,
               VDI_PRETRAINED_STATS * sizeof *row);
    }
    vdi_var stats = vdi_tape_constant_copy(
        t, vdi_tensor_2d(row, VDI_F32, shape[0], VDI_PRETRAINED_STATS), VDI_F32);
    free(row);
    vdi_var e =
        vdi_pretrained_apply(t, vdi_pretrained_desc_of(u->net), vdi_pretrained_params(u->net)->item,
                             vdi_var_reshape(t, x, 2, shape), stats)
            .spikes;
    /* expected spikes e to the log odds of at least one: 1 - exp(-e) against exp(-e) */
    return vdi_var_reshape(t, vdi_var_log(t, vdi_var_expm1(t, vdi_var_clip(t, e, 1e-7, 16))), 3,
                           shape);
}

/* --truth: each spike of a frame stands in one of its samples, drawn, since within a frame no time
 * is known. Samples between frames are then as good as those at frames. */
static int labels_read(const run *r, const char *path, int64_t frames, double fps, tuning *u) {
    vdi_tensor truth;
    if (!array_load(path, &truth)) return FAILED;
    if (vdi_tensor_count(truth) != u->traces * frames) {
        const int64_t count = vdi_tensor_count(truth);
        vdi_tensor_free(NULL, &truth);
        return fail("expected the spikes of %lld neurons in %lld frames, got %lld numbers, in %s",
                    (long long)u->traces, (long long)frames, (long long)count, path);
    }
    u->label = (unsigned char *)calloc((size_t)(u->traces * u->samples), 1);
    if (!u->label) exit(fail("out of memory"));
    for (int64_t i = 0; i < u->traces; i++) {
        vdi_rng rng = vdi_rng_make(r->seed, (uint64_t)i);
        for (int64_t k = 0; k < frames; k++) {
            const double count = ((const double *)truth.data)[i * frames + k];
            for (int s = 0; s + 0.5 <= count && s < 1000; s++) {
                const double frame = (double)k - 0.5 + vdi_rng_uniform(&rng);
                const int64_t at = (int64_t)floor(frame * VDI_PRETRAINED_GRID / fps + 0.5);
                if (at >= 0 && at < u->samples) u->label[i * u->samples + at] = 1;
            }
        }
    }
    vdi_tensor_free(NULL, &truth);
    return DONE;
}

/* The pieces of a trace between long gaps, each where it begins; nothing between them. */
static void place_segments(const vdi_prepared *p, double fps, int64_t samples, float *x) {
    memset(x, 0, (size_t)samples * sizeof *x);
    for (int64_t k = 0; k < p->segments; k++) {
        const vdi_prepared_segment *s = &p->segment[k];
        const int64_t at = (int64_t)floor((double)s->frame * VDI_PRETRAINED_GRID / fps + 0.5);
        for (int64_t i = 0; i < s->samples && at + i < samples; i++)
            x[at + i] = p->x[s->sample + i];
    }
}

static int prepare(const run *r, const vdi_tensor *traces, double fps, tuning *u) {
    vdi_error err = {0};
    const int64_t frames = traces->shape[1], grid = vdi_pretrained_grid(frames, fps);
    u->traces = traces->shape[0];
    u->samples = grid - grid % 2;
    if (u->samples < 128) {
        return fail("expected traces of 2.2 s or more, got %lld frames at %g Hz, in %s",
                    (long long)frames, fps, r->argument[0]);
    }
    const size_t cells = (size_t)(u->traces * u->samples);
    const size_t size = vdi_pretrained_prepare_memsize(frames, fps);
    u->x = (float *)malloc(cells * sizeof *u->x);
    u->mask = (float *)calloc(cells, sizeof *u->mask);
    u->stats = (float *)malloc((size_t)u->traces * VDI_PRETRAINED_STATS * sizeof *u->stats);
    u->noise = doubles(u->traces);
    void *work = malloc(size);
    if (!u->x || !u->mask || !u->stats || !work) return fail("no memory for %zu samples", cells);
    for (int64_t i = 0; i < u->traces; i++) {
        const double *y = (const double *)traces->data + i * frames;
        vdi_prepared p;
        if (vdi_pretrained_prepare(VDI_F64, frames, y, fps, work, size, &p, &err) < 0)
            return fail_error(&err, r->argument[0]);
        place_segments(&p, fps, u->samples, u->x + i * u->samples);
        memcpy(u->stats + i * VDI_PRETRAINED_STATS, p.stats, sizeof p.stats);
        u->noise[i] = p.scale > 0 ? p.noise / p.scale : 1;
        /* a sample is the mean of some frames */
        if (fps > VDI_PRETRAINED_GRID) u->noise[i] *= sqrt(VDI_PRETRAINED_GRID / fps);
        for (int64_t k = 0; k < frames; k++) {
            const int64_t s = (int64_t)floor((double)k * VDI_PRETRAINED_GRID / fps + 0.5);
            if (s >= 0 && s < u->samples && is_finite(y[k])) u->mask[i * u->samples + s] = 1;
        }
    }
    free(work);
    return DONE;
}

static int run_over(run *r, const vdi_pretrained *net, int64_t neurons, int64_t frames,
                    const double *traces, double fps, spikes_fitted *out) {
    vdi_error err = {0};
    const size_t size = vdi_pretrained_memsize(net, frames, fps);
    void *work = malloc(size);
    if (!work) return fail("no memory for %zu bytes", size);
    for (int64_t i = 0; i < neurons; i++) {
        vdi_pretrained_result p = {0};
        p.spikes = out->spikes ? out->spikes + i * frames : NULL;
        p.probability = out->probability ? out->probability + i * frames : NULL;
        p.denoised = out->denoised ? out->denoised + i * frames : NULL;
        if (vdi_pretrained_infer(net, VDI_F64, frames, traces + i * frames, fps, work, size, &p,
                                 &err) < 0) {
            free(work);
            return fail_error(&err, r->argument[0]);
        }
    }
    if (out->grid && out->spikes)
        memcpy(out->grid, out->spikes, (size_t)(neurons * frames) * sizeof *out->grid);
    free(work);
    return DONE;
}

/* Its description comes with the file: the measures of the network in the box. */
enum { MEASURES = 7 };
static const char *const measure[MEASURES] = {"channels", "stem",   "width",  "layers",
                                              "context",  "hidden", "members"};
static void measures(const vdi_pretrained_desc *d, int32_t v[MEASURES]) {
    v[0] = d->channels;
    v[1] = d->stem;
    v[2] = d->width;
    v[3] = d->layers;
    v[4] = d->context;
    v[5] = d->hidden;
    v[6] = d->members;
}
static bool tuned_save(const run *r, vdi_pretrained *net) {
    vdi_state *s = state_copy(vdi_params_state(vdi_pretrained_params(net)), 0, 3 + MEASURES);
    char text[MEASURES][16];
    int32_t own[MEASURES];
    measures(vdi_pretrained_desc_of(net), own);
    s->meta_count = 0;
    state_note(s, "model", "pretrained");
    state_note(s, "family", "spikes");
    state_note(s, "version", VDI_VERSION);
    for (int i = 0; i < MEASURES; i++) {
        snprintf(text[i], sizeof text[i], "%d", own[i]);
        state_note(s, measure[i], text[i]);
    }
    return state_save(r, "model.safetensors", s);
}

vdi_pretrained *spikes_tuned_open(const vdi_safetensors *file, const char *path) {
    vdi_error err = {0};
    vdi_pretrained *net = spikes_pretrained_network();
    int32_t own[MEASURES];
    if (!net) return NULL;
    measures(vdi_pretrained_desc_of(net), own);
    bool ok = true;
    for (int i = 0; ok && i < MEASURES; i++) {
        const char *text = vdi_safetensors_meta(file, measure[i]);
        ok = text && strtol(text, NULL, 10) == own[i];
        if (!ok) {
            (void)fail("expected a network with %s %d, as the one in the box has, got %s, in %s",
                       measure[i], own[i], text ? text : "none", path);
        }
    }
    if (ok &&
        vdi_safetensors_copy_to(file, vdi_params_state(vdi_pretrained_params(net)), &err) < 0) {
        (void)fail_error(&err, path);
        ok = false;
    }
    if (ok) return net;
    vdi_pretrained_destroy(net);
    return NULL;
}

/* A generative model beside the network, with parameters for each trace to begin with, and how far
 * they have come. Without labels first the cells' parameters alone learn, through samples of the
 * network as it is (phase 0): a wrong theta would teach it wrong spikes. */
typedef struct pair {
    vdi_deepspike *net;
    vdi_deepspike_data *data;
    double *trace; /* (rows, TRACE_COLUMNS), room for all */
    int64_t rows, all, phase;
} pair;

static int pair_make(const run *r, double drift, vdi_calcium_model model, tuning *u,
                     const vdi_deepspike_train *train, pair *c) {
    vdi_error err = {0};
    vdi_deepspike_desc desc = {0};
    vdi_deepspike_data_desc dd = {0};
    vdi_calcium_desc calcium = vdi_calcium_desc_defaults();
    calcium.model = model;
    calcium.bin = 1.0 / VDI_PRETRAINED_GRID;
    calcium.drift = drift * VDI_PRETRAINED_GRID;
    desc.generative = vdi_deepspike_calcium(&calcium);
    desc.network.params = vdi_pretrained_params(u->net);
    desc.network.odds = tune_odds;
    desc.network.user = u;
    desc.prior_rate[0] = fmin(fmax(u->mean, 1e-4), 0.3);
    desc.floor = 1e-5;
    desc.pool = r->pool;
    desc.train = *train;
    if (vdi_deepspike_create(&desc, &c->net, &err) < 0) return fail_error(&err, NULL);
    dd.traces = vdi_tensor_2d(u->x, VDI_F32, u->traces, u->samples);
    dd.mask = vdi_tensor_2d(u->mask, VDI_F32, u->traces, u->samples);
    const int64_t label_shape[2] = {u->traces, u->samples};
    if (u->label) dd.spikes = vdi_tensor_view(u->label, VDI_U8, 2, label_shape);
    if (vdi_deepspike_data_create(c->net, &dd, &c->data, &err) < 0)
        return fail_error(&err, r->argument[0]);
    for (int64_t i = 0; i < u->traces; i++) {
        double *theta = vdi_deepspike_data_theta(c->data, i), top = 0;
        const int P = (int)desc.generative.theta_count;
        for (int64_t s = 0; s < u->samples; s++)
            top = fmax(top, u->x[i * u->samples + s]);
        theta[desc.generative.amplitude] =
            vdi_calcium_raw(VDI_CALCIUM_SOFTPLUS, fmin(fmax(top / 6, 2 * u->noise[i]), 20));
        theta[P - 2] = 0;
        theta[P - 1] = vdi_calcium_raw(VDI_CALCIUM_SOFTPLUS, fmax(u->noise[i], 1e-3));
    }
    return DONE;
}
static void pair_free(pair *c) {
    vdi_deepspike_data_destroy(c->data);
    vdi_deepspike_destroy(c->net);
    free(c->trace);
}

static bool checkpoint_save(const run *r, pair *c) {
    vdi_state *s = state_copy(vdi_deepspike_state(c->net, c->data, true), 2, 0);
    state_add(s, "trace", vdi_tensor_2d(c->trace, VDI_F64, c->rows, TRACE_COLUMNS));
    state_add(s, "phase", vdi_tensor_1d(&c->phase, VDI_I64, 1));
    return state_save(r, "checkpoint.safetensors", s);
}

static bool checkpoint_take(const vdi_safetensors *file, pair *c, vdi_error *err) {
    const vdi_tensor t = vdi_safetensors_find(file, "trace");
    if (t.ndim != 2 || t.dtype != VDI_F64 || t.shape[1] != TRACE_COLUMNS || t.shape[0] > c->all) {
        (void)vdi_error_set(err, VDI_ERR_FORMAT, "resume", "expected a trace of at most %lld steps",
                            (long long)c->all);
        return false;
    }
    c->rows = t.shape[0];
    memcpy(c->trace, t.data, (size_t)(c->rows * TRACE_COLUMNS) * sizeof *c->trace);
    return vdi_safetensors_copy_to(file, vdi_deepspike_state(c->net, c->data, true), err) == VDI_OK;
}

static bool phase_of(const vdi_safetensors *file, int64_t *phase, vdi_error *err) {
    const vdi_tensor t = vdi_safetensors_find(file, "phase");
    if (t.ndim == 1 && t.dtype == VDI_I64 && t.shape[0] == 1) {
        *phase = *(const int64_t *)t.data;
        if (*phase == 0 || *phase == 1) return true;
    }
    (void)vdi_error_set(err, VDI_ERR_FORMAT, "resume", "expected a phase of 0 or 1");
    return false;
}

/* Where a schedule ends, the next begins at its first step. */
static int phase_begin(pair *c, int64_t phase, const vdi_deepspike_train *train) {
    vdi_error err = {0};
    c->phase = phase;
    if (vdi_deepspike_set_train(c->net, train, &err) < 0) return fail_error(&err, NULL);
    vdi_deepspike_restart(c->net);
    return DONE;
}

/* Of a resumed run: where it was, with the schedule of its phase. One that was ended before its
 * first checkpoint begins anew. */
static int checkpoint_load(const run *r, pair *c, const vdi_deepspike_train train[2]) {
    vdi_error err = {0};
    vdi_safetensors file;
    int64_t phase = c->phase;
    char *path = path_join(r->resume, "checkpoint.safetensors");
    int code = DONE;
    if (file_exists(path)) {
        bool ok = vdi_safetensors_load(path, NULL, &file, &err) == VDI_OK;
        if (ok) {
            ok = phase_of(&file, &phase, &err);
            if (ok && phase != c->phase) code = phase_begin(c, phase, &train[phase]);
            ok = ok && code == DONE && checkpoint_take(&file, c, &err);
            vdi_safetensors_free(&file);
        }
        if (!ok && code == DONE) code = fail_error(&err, path);
    }
    free(path);
    return code;
}

/* The rest of a schedule; its rows go behind those that are there. */
static int steps_make(run *r, const spikes_fit_options *want, pair *c) {
    vdi_error err = {0};
    double saved = seconds_now();
    while (!interrupted()) {
        vdi_deepspike_progress p;
        const vdi_status status = vdi_deepspike_step(c->net, c->data, &p, &err);
        if (status == VDI_END) return DONE;
        if (status < 0) return fail_error(&err, r->argument[0]);
        double *row = c->trace + c->rows++ * TRACE_COLUMNS;
        row[TRACE_STEP] = (double)c->rows;
        row[TRACE_BOUND] = p.bound;
        row[TRACE_SLEEP] = p.sleep;
        row[TRACE_RATE] = p.rate;
        progress(r, c->rows, c->all, "bound per bin", p.bound);
        if (checkpoint_due(&saved, want->save_every) && !checkpoint_save(r, c)) return FAILED;
    }
    return INTERRUPTED;
}

/* The schedule, as far as it is not asked for; run.json then tells it. */
static void schedule_make(const run *r, spikes_fit_options *want, const tuning *u,
                          vdi_deepspike_train *train) {
    /* labels are a teacher to follow in longer steps than a model of the dye */
    const double rate = u->label ? 1e-4 : 1e-5;
    const int64_t steps = 80 * (1 + u->traces / 4);
    train->steps = option_given(r, "steps") >= IN_FILE ? want->net.train.steps
                   : u->label                          ? 4 * steps
                                                       : steps;
    train->batch = want->net.train.batch;
    train->samples = want->net.train.samples;
    train->snippet = 360 < u->samples ? 360 : u->samples;
    train->rate = want->net.train.rate > 0 ? want->net.train.rate : rate;
    train->theta_factor = 0.01 / train->rate;
    train->schedule.kind = VDI_SCHEDULE_COSINE;
    train->schedule.steps = train->steps;
    train->schedule.last = 0.05;
    train->seed = r->seed;
    if (u->label) train->estimator = VDI_DEEPSPIKE_SUPERVISED;
    want->net.train.steps = train->steps;
    want->net.train.rate = train->rate;
    want->net.train.estimator = train->estimator;
}

/* Both phases, or with labels the second alone; *c is what came of it. */
static int tune(run *r, const spikes_fit_options *want, vdi_calcium_model model, tuning *u,
                const vdi_deepspike_train *train, pair *c) {
    vdi_deepspike_train both[2] = {*train, *train};
    both[0].rate = 1e-7;
    both[0].theta_factor = 0.03 / both[0].rate;
    c->phase = u->label != NULL;
    c->all = u->label ? train->steps : 2 * train->steps;
    c->trace = doubles(c->all * TRACE_COLUMNS + 1);
    int code = pair_make(r, want->drift, model, u, &both[c->phase], c);
    if (code == DONE && r->resume) code = checkpoint_load(r, c, both);
    if (code == DONE && c->phase == 0) {
        code = steps_make(r, want, c);
        if (code == DONE) code = phase_begin(c, 1, &both[1]);
    }
    if (code == DONE) code = steps_make(r, want, c);
    progress_end(r);
    if ((code == DONE || code == INTERRUPTED) && !checkpoint_save(r, c)) code = FAILED;
    return code;
}

/* What the network says now, as files. */
static bool results_leave(run *r, const recording *in, tuning *u, double *trace, int64_t rows,
                          spikes_fitted *out) {
    const int64_t neurons = in->neurons, frames = in->frames;
    const int64_t shape[2] = {neurons, frames};
    static const char *const keys[] = {"bound_per_bin", "steps", "expected_spikes",
                                       "expected_before"};
    if (run_over(r, u->net, neurons, frames, (const double *)in->y.data, in->fps, out) != DONE)
        return false;
    if (!(spikes_trace_save(r, trace, rows) && array_save(r, "spikes", 2, shape, out->spikes) &&
          array_save(r, "probability", 2, shape, out->probability) &&
          array_save(r, "denoised", 2, shape, out->denoised) && spikes_report_run(r, in, "tuned")))
        return false;
    const double values[] = {rows ? trace[(rows - 1) * TRACE_COLUMNS + TRACE_BOUND] : 0,
                             (double)rows,
                             vdi_sum(VDI_F64, (size_t)(neurons * frames), out->spikes),
                             u->mean * (double)(neurons * frames) * VDI_PRETRAINED_GRID / in->fps};
    print_results(r, keys, values, 4);
    return true;
}

static int tune_all(run *r, spikes_fit_options *want, vdi_calcium_model model, const recording *in,
                    tuning *u, spikes_fitted *out) {
    const vdi_tensor traces = traces_matrix(in);
    const size_t cells = (size_t)(in->neurons * in->frames);
    vdi_deepspike_train train = {0};
    pair c = {0};
    int code = prepare(r, &traces, in->fps, u);
    if (code == DONE && want->truth) code = labels_read(r, want->truth, in->frames, in->fps, u);
    if (code == DONE)
        code =
            run_over(r, u->net, in->neurons, in->frames, (const double *)in->y.data, in->fps, out);
    if (code != DONE) return code;
    u->mean =
        vdi_sum(VDI_F64, cells, out->spikes) / ((double)cells * VDI_PRETRAINED_GRID / in->fps);
    schedule_make(r, want, u, &train);
    if (!run_open_out(r)) return FAILED;
    code = tune(r, want, model, u, &train, &c);
    if (code == INTERRUPTED) {
        fprintf(stderr,
                "vdi: interrupted after %lld of %lld steps, with a model of these; go on with: vdi "
                "spikes fit --resume %s\n",
                (long long)c.rows, (long long)c.all, r->out);
    }
    if ((code == DONE || code == INTERRUPTED) && !tuned_save(r, u->net)) code = FAILED;
    if (code == DONE && !results_leave(r, in, u, c.trace, c.rows, out)) code = FAILED;
    pair_free(&c);
    return code;
}

int spikes_tune_main(run *r, spikes_fit_options *want, vdi_calcium_model model,
                     const recording *in) {
    tuning u = {0};
    spikes_fitted out = {0};
    if (!(u.net = spikes_pretrained_network())) return FAILED;
    out.spikes = doubles(in->neurons * in->frames);
    out.probability = doubles(in->neurons * in->frames);
    out.denoised = doubles(in->neurons * in->frames);
    const int code = tune_all(r, want, model, in, &u, &out);
    vdi_pretrained_destroy(u.net);
    free(u.x);
    free(u.mask);
    free(u.stats);
    free(u.noise);
    free(u.label);
    free(out.spikes);
    free(out.probability);
    free(out.denoised);
    return code;
}
