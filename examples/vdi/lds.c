/* examples/vdi/lds.c - vdi lds smooth | fit | score: the linear dynamical system */
#include "lds.h"

static const char *const parameter[VDI_LDS_PARAMS] = {"A", "B", "Q",  "C", "D",
                                                      "b", "R", "x0", "Q0"};

bool lds_data_make(const run *r, const vdi_lds *lds, const observations *o, int64_t window,
                   vdi_lds_data **data) {
    vdi_error err = {0};
    vdi_lds_data_desc desc = {0};
    desc.y = o->y;
    desc.u = o->u;
    desc.lengths = o->lengths;
    desc.window = window;
    desc.pool = r->pool;
    if (vdi_lds_data_create(lds, &desc, data, &err) < 0) {
        fail_error(&err, r->argument[0]);
        return false;
    }
    const double own = (double)(o->trials * o->T * o->n) * (double)sizeof(double);
    memory_tell(r, own + (double)vdi_lds_data_bytes(*data), "the data, and a posterior of them");
    return true;
}

bool lds_load(const char *folder, int64_t n, int64_t inputs, bool diagonal, vdi_lds **out) {
    vdi_tensor t[VDI_LDS_PARAMS];
    vdi_error err = {0};
    vdi_lds_desc desc = {0};
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    for (int i = 0; i < VDI_LDS_PARAMS; i++) {
        if (!array_load_in(folder, parameter[i], (i == 1 || i == 4) && inputs == 0, &t[i]))
            return false;
    }
    if (t[0].ndim != 2 || t[3].ndim != 2 || t[3].shape[1] != t[0].shape[0]) {
        fail("expected A (d,d) and C (N,d), got %s and %s, in %s", vdi_tensor_shape_text(t[0], a),
             vdi_tensor_shape_text(t[3], b), folder);
        return false;
    }
    if (n == 0) n = t[3].shape[0];
    if (t[3].shape[0] != n) {
        fail("expected C for %lld channels as the data have, got %s, in %s", (long long)n,
             vdi_tensor_shape_text(t[3], a), folder);
        return false;
    }
    desc.d = t[0].shape[0];
    desc.n = n;
    desc.inputs = inputs;
    desc.diagonal_r = diagonal || t[6].ndim == 1;
    if (vdi_lds_create(&desc, out, &err) < 0) {
        fail_error(&err, folder);
        return false;
    }
    vdi_state state = vdi_lds_state(*out);
    for (int64_t i = 0; i < state.tensor_count; i++) {
        vdi_tensor to = state.tensors[i].tensor;
        if (!vdi_tensor_ok(t[i])) continue; /* B and D without inputs */
        if (i == 6 && t[i].ndim == 1) {     /* onto the diagonal */
            to.ndim = 1;
            to.stride[0] = to.shape[0] + 1;
        }
        if (!vdi_tensor_same_shape(to, t[i])) {
            fail("expected %s %s, got %s, in %s/%s.npy", parameter[i], vdi_tensor_shape_text(to, a),
                 vdi_tensor_shape_text(t[i], b), folder, parameter[i]);
            return false;
        }
        if (vdi_tensor_copy(to, t[i], &err) < 0) {
            fail_error(&err, folder);
            return false;
        }
        vdi_tensor_free(NULL, &t[i]);
    }
    if (vdi_lds_check(*out, &err) < 0) {
        fail_error(&err, folder);
        return false;
    }
    return true;
}

static bool model_save(const run *r, const vdi_lds *lds) {
    for (int i = 0; i < VDI_LDS_PARAMS; i++) {
        vdi_tensor t = lds->tensors[i].tensor;
        if (lds->desc.inputs == 0 && (i == 1 || i == 4)) continue;
        if (!array_save(r, parameter[i], t.ndim, t.shape, (const double *)t.data)) return false;
    }
    return true;
}

/* ---- smooth ---------------------------------------------------------------------------------- */

typedef struct smooth_options {
    const char *params, *decode;
    bool kalman;
    int64_t window;
    observation_options y;
} smooth_options;

/* A covariance: (T,d,d) where all trials share it, else one for each. */
static bool covariance_save(const run *r, const char *name, const observations *o,
                            const vdi_lds_data *data, int64_t d, int64_t T, const double *cov) {
    const int64_t shape[4] = {o->trials, T, d, d}, each = T * d * d;
    if (vdi_lds_data_lanes(data) == 1) return array_save(r, name, 3, shape + 1, cov);
    double *full = doubles(o->trials * each);
    for (int64_t k = 0; k < o->trials; k++) {
        memcpy(full + k * each, cov + vdi_lds_data_lane(data, k) * each,
               (size_t)each * sizeof *full);
    }
    const bool ok = array_save(r, name, 4, shape, full);
    free(full);
    return ok;
}

static bool moments_save(const run *r, const observations *o, const vdi_lds_data *data, int64_t d,
                         const vdi_lds_moments *m) {
    const int64_t mean[3] = {o->trials, o->T, d};
    return array_save(r, "mp", 3, mean, m->mp) && array_save(r, "mf", 3, mean, m->mf) &&
           array_save(r, "ms", 3, mean, m->ms) && array_save(r, "ll", 1, &o->trials, m->ll) &&
           covariance_save(r, "Pp", o, data, d, o->T, m->Pp) &&
           covariance_save(r, "Pf", o, data, d, o->T, m->Pf) &&
           covariance_save(r, "Ps", o, data, d, o->T, m->Ps) &&
           covariance_save(r, "Pc", o, data, d, o->T - 1, m->Pc);
}

/* ys, yv and innovations, in memory of their own. */
static bool fitted_save(const run *r, const observations *o, const vdi_lds *lds,
                        vdi_lds_data *data) {
    const int64_t shape[3] = {o->trials, o->T, o->n}, count = o->trials * o->T * o->n;
    vdi_error err = {0};
    double *mean = doubles(count), *var = doubles(count);
    bool ok = vdi_lds_fitted(lds, data, mean, var, &err) >= 0;
    if (!ok) (void)fail_error(&err, o->file);
    ok = ok && array_save(r, "ys", 3, shape, mean) && array_save(r, "yv", 3, shape, var);
    if (ok && vdi_lds_innovations(lds, data, mean, &err) < 0) {
        (void)fail_error(&err, o->file);
        ok = false;
    }
    ok = ok && array_save(r, "innovations", 3, shape, mean);
    free(mean);
    free(var);
    return ok;
}

/* All moments at once, in memory; ms (trials,T,d) and ll (trials) are the caller's. */
static bool smooth_whole(const run *r, const observations *o, const vdi_lds *lds,
                         vdi_lds_data *data, bool kalman, double *ms, double *ll) {
    const int64_t d = lds->desc.d, means = o->trials * o->T * d;
    const int64_t lanes = vdi_lds_data_lanes(data), block = lanes * o->T * d * d;
    vdi_lds_moments m = {0};
    vdi_error err = {0};
    m.mp = doubles(means);
    m.mf = doubles(means);
    m.ms = ms;
    m.ll = ll;
    m.Pp = doubles(block);
    m.Pf = doubles(block);
    m.Ps = doubles(block);
    m.Pc = doubles(lanes * (o->T - 1) * d * d);
    m.kalman = kalman;
    bool ok = vdi_lds_smooth(lds, data, &m, &err) >= 0;
    if (!ok) (void)fail_error(&err, r->argument[0]);
    ok = ok && moments_save(r, o, data, d, &m) && fitted_save(r, o, lds, data);
    double *own[] = {m.mp, m.mf, m.Pp, m.Pf, m.Ps, m.Pc};
    for (int i = 0; i < (int)VDI__COUNT(own); i++)
        free(own[i]);
    return ok;
}

static int smooth_main(run *r, void *options) {
    const smooth_options *want = (const smooth_options *)options;
    observations o;
    vdi_lds *lds;
    vdi_lds_data *data;
    if (!want->params) return usage("expected --params FOLDER with A C Q R b x0 Q0 .npy");
    if (!observations_load(r->argument[0], &want->y, &o) ||
        !lds_load(want->params, o.n, o.inputs, false, &lds) ||
        !lds_data_make(r, lds, &o, want->window, &data))
        return FAILED;
    double *ll = doubles(o.trials);
    const bool windows = vdi_lds_data_window(data) > 0 && !want->kalman;
    double *ms = windows && !want->decode ? NULL : doubles(o.trials * o.T * lds->desc.d);
    bool ok = run_open_out(r);
    if (ok && windows)
        ok = lds_stream(r, &o, lds, data, ms, ll);
    else if (ok)
        ok = smooth_whole(r, &o, lds, data, want->kalman, ms, ll);
    told t = {0};
    told_add(&t, "log_likelihood", vdi_sum(VDI_F64, (size_t)o.trials, ll));
    told_add(&t, "trials", (double)o.trials);
    told_add(&t, "lanes", (double)vdi_lds_data_lanes(data));
    ok = ok && decode_tell(r, want->decode, o.trials, o.T, lds->desc.d, o.lengths, ms, &t);
    if (ok) print_results(r, t.key, t.value, t.count);
    free(ms);
    free(ll);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
    observations_free(&o);
    return ok ? DONE : interrupted() ? INTERRUPTED : FAILED;
}

/* ---- fit ------------------------------------------------------------------------------------- */

/* A checkpoint: the parameters, and the trace so far (its length is the number of iterations
 * done). */
typedef struct checkpoint {
    const vdi_lds *lds;
    const double *trace;
    int64_t done;
} checkpoint;

static bool checkpoint_save(const run *r, const checkpoint *c) {
    vdi_state own = {0};
    double *trace;
    memcpy(&trace, &c->trace, sizeof trace); /* a tensor has no const */
    vdi_named_tensor parameters[VDI_LDS_PARAMS];
    memcpy(parameters, c->lds->tensors, sizeof parameters);
    own.tensors = parameters;
    own.tensor_count = VDI_LDS_PARAMS;
    vdi_state *s = state_copy(&own, 1, 0);
    state_add(s, "trace", vdi_tensor_1d(trace, VDI_F64, c->done));
    return state_save(r, "checkpoint.safetensors", s);
}

static bool checkpoint_take(const vdi_safetensors *file, vdi_lds *lds, double *trace, int64_t most,
                            int64_t *done, vdi_error *err) {
    vdi_state state = vdi_lds_state(lds);
    return trace_take(file, most, trace, done, err) &&
           vdi_safetensors_copy_to(file, &state, err) == VDI_OK &&
           vdi_lds_check(lds, err) == VDI_OK;
}

/* Where the run is: *there is false for one that was ended before its first checkpoint. */
static bool checkpoint_load(const char *folder, vdi_lds *lds, double *trace, int64_t most,
                            int64_t *done, bool *there) {
    vdi_error err = {0};
    vdi_safetensors file;
    char *path = path_join(folder, "checkpoint.safetensors");
    *there = file_exists(path);
    bool ok = !*there || vdi_safetensors_load(path, NULL, &file, &err) == VDI_OK;
    if (ok && *there) {
        ok = checkpoint_take(&file, lds, trace, most, done, &err);
        vdi_safetensors_free(&file);
    }
    if (!ok) (void)fail_error(&err, path);
    free(path);
    return ok;
}

typedef struct fit_options {
    int64_t iters, window;
    double tol;
    const char *init, *resume, *freeze, *ties, *bounds;
    vdi_lds_desc model; /* d, diagonal_r and what EM keeps to */
    observation_options y;
} fit_options;

/* The bits of names with commas between, as of --freeze; false with a message. */
static bool freeze_read(const char *text, unsigned *out) {
    *out = 0;
    while (text && *text) {
        const size_t length = strcspn(text, ",");
        int i = 0;
        while (i < VDI_LDS_PARAMS &&
               (strlen(parameter[i]) != length || memcmp(parameter[i], text, length) != 0))
            i++;
        if (i == VDI_LDS_PARAMS) {
            (void)usage("--freeze: expected names out of A B Q C D b R x0 Q0 with commas between, "
                        "got '%s'",
                        text);
            return false;
        }
        *out |= 1u << i;
        text += length + (text[length] == ',');
    }
    return true;
}

/* The groups of one parameter out of the folder of --ties, malloc'ed; none if there is no such
 * file.
 * False with a message. */
static bool tie_load(const char *folder, const char *name, const vdi_tensor *like,
                     vdi_lds_tie *out) {
    vdi_tensor t;
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    if (!array_load_in(folder, name, true, &t)) return false;
    if (!vdi_tensor_ok(t)) return true;
    const int64_t count = vdi_tensor_count(t);
    const double *x = (const double *)t.data;
    int32_t *group = (int32_t *)malloc((size_t)(count + 1) * sizeof *group);
    if (!group) exit(fail("out of memory"));
    bool ok = vdi_tensor_same_shape(t, *like);
    if (!ok) {
        (void)fail("expected groups of %s %s, got %s, in %s/%s.npy", name,
                   vdi_tensor_shape_text(*like, a), vdi_tensor_shape_text(t, b), folder, name);
    }
    for (int64_t i = 0; ok && i < count; i++) {
        ok = x[i] >= 0 && x[i] < 1e9 && x[i] == floor(x[i]);
        if (ok) {
            group[i] = (int32_t)x[i];
        } else {
            (void)fail("expected whole numbers of groups, got %g, in %s/%s.npy", x[i], folder,
                       name);
        }
    }
    out->group = group;
    vdi_tensor_free(NULL, &t);
    return ok;
}

/* --ties and --bounds-a for this model, which get it to keep them. */
static int ties_load(const fit_options *want, vdi_lds *lds, vdi_lds_ties *ties) {
    vdi_lds_tie *of[] = {&ties->A, &ties->B, &ties->C, &ties->D};
    static const int at[] = {0, 1, 3, 4}; /* in `parameter` */
    double bounds[2];
    for (int i = 0; want->ties && i < 4; i++) {
        if (!tie_load(want->ties, parameter[at[i]], &lds->tensors[at[i]].tensor, of[i]))
            return FAILED;
    }
    if (want->bounds) {
        if (numbers_read(want->bounds, bounds, 2) != 2 || !(bounds[0] < bounds[1]))
            return usage("--bounds-a: expected LOW,HIGH, rising, got '%s'", want->bounds);
        ties->A.low = bounds[0];
        ties->A.high = bounds[1];
    }
    if (want->ties || want->bounds) lds->desc.ties = ties;
    return DONE;
}

/* Where a fit begins: a model, from the data, from --init or from a checkpoint; *done iterations
 * of the trace are there. */
static int fit_begin(run *r, const fit_options *want, observations *o, vdi_lds_ties *ties,
                     vdi_lds **lds, vdi_lds_data **data, double *trace, int64_t *done) {
    vdi_error err = {0};
    bool there = false;
    unsigned freeze;
    if (!freeze_read(want->freeze, &freeze)) return USAGE;
    if (want->init && !lds_load(want->init, o->n, o->inputs, want->model.diagonal_r, lds))
        return FAILED;
    if (!want->init) {
        vdi_lds_desc desc = want->model;
        desc.n = o->n;
        desc.inputs = o->inputs;
        if (vdi_lds_create(&desc, lds, &err) < 0) return fail_error(&err, NULL);
    }
    (*lds)->desc.freeze = freeze;
    (*lds)->desc.q_floor = want->model.q_floor;
    (*lds)->desc.r_floor = want->model.r_floor;
    (*lds)->desc.max_radius = want->model.max_radius;
    const int code = ties_load(want, *lds, ties);
    if (code != DONE) return code;
    if (!lds_data_make(r, *lds, o, want->window, data)) return FAILED;
    vdi_tensor_free(NULL, &o->y); /* they have a copy */
    if (want->resume && !checkpoint_load(want->resume, *lds, trace, want->iters, done, &there))
        return FAILED;
    if (!there && !want->init && vdi_lds_init(*lds, *data, r->seed, &err) < 0)
        return fail_error(&err, o->file);
    return DONE;
}

/* Has the step that ended at trace[last] risen by less than --tol? */
static bool settled(const fit_options *want, const double *trace, int64_t last, double bins) {
    return want->tol > 0 && last > 0 && trace[last] - trace[last - 1] < want->tol * bins;
}

/* EM with checkpoints, until --iters or --tol; DONE, INTERRUPTED, or FAILED. */
static int fit_learn(run *r, const fit_options *want, vdi_lds *lds, vdi_lds_data *data,
                     double *trace, int64_t *done) {
    const int64_t iterations = want->iters;
    const double bins = (double)vdi_lds_data_observed_bins(data);
    vdi_error err = {0};
    double saved = seconds_now();
    checkpoint c = {lds, trace, *done};
    while (c.done < iterations && !settled(want, trace, c.done - 1, bins) && !interrupted()) {
        if (vdi_lds_em_step(lds, data, &trace[c.done], &err) < 0)
            return fail_error(&err, r->argument[0]);
        c.done++;
        progress(r, c.done, iterations, "log likelihood per bin", trace[c.done - 1] / bins);
        if (checkpoint_due(&saved, 10) && !checkpoint_save(r, &c)) return FAILED;
    }
    progress_end(r);
    if (!checkpoint_save(r, &c)) return FAILED;
    *done = c.done;
    if (c.done == iterations || settled(want, trace, c.done - 1, bins)) return DONE;
    fprintf(stderr,
            "vdi: interrupted after %lld of %lld iterations; go on with: vdi lds fit --resume %s\n",
            (long long)c.done, (long long)iterations, r->out);
    return INTERRUPTED;
}

static int fit_leave(run *r, const fit_options *want, int64_t iterations, vdi_lds *lds,
                     vdi_lds_data *data, double *trace) {
    static const char *const keys[] = {"log_likelihood", "per_bin",       "bins",     "iterations",
                                       "start",          "smallest_rise", "converged"};
    const double bins = (double)vdi_lds_data_observed_bins(data);
    const int64_t length = iterations + 1;
    vdi_error err = {0};
    double smallest = iterations > 0 ? HUGE_VAL : 0;
    if (vdi_lds_log_likelihood(lds, data, NULL, &trace[iterations], &err) < 0)
        return fail_error(&err, r->argument[0]);
    if (!model_save(r, lds) || !array_save(r, "trace", 1, &length, trace)) return FAILED;
    char *picture = path_join(r->out, "latents.svg");
    const bool ok = latents_draw(picture, lds, data, trace, iterations, &err);
    if (!ok) (void)fail_error(&err, picture);
    free(picture);
    for (int64_t i = 0; i < iterations; i++)
        smallest = fmin(smallest, trace[i + 1] - trace[i]);
    fit_options strict = *want;
    if (!(strict.tol > 0)) strict.tol = 1e-6;
    const double values[] = {trace[iterations],
                             trace[iterations] / bins,
                             bins,
                             (double)iterations,
                             trace[0],
                             smallest,
                             settled(&strict, trace, iterations, bins)};
    if (ok) print_results(r, keys, values, 7);
    return ok ? DONE : FAILED;
}

static int fit_main(run *r, void *options) {
    const fit_options *want = (const fit_options *)options;
    observations o;
    vdi_lds *lds = NULL;
    vdi_lds_data *data = NULL;
    int64_t done = 0;
    if ((want->model.d > 0) == (want->init != NULL)) {
        return usage(
            "expected either -d D (latent dimension) or --init FOLDER (parameters to start from)");
    }
    if (!observations_load(r->argument[0], &want->y, &o)) return FAILED;
    double *trace = doubles(want->iters + 1);
    vdi_lds_ties ties = {0};
    int code = fit_begin(r, want, &o, &ties, &lds, &data, trace, &done);
    if (code == DONE && !run_open_out(r)) code = FAILED;
    if (code == DONE) code = fit_learn(r, want, lds, data, trace, &done);
    if (code == DONE) code = fit_leave(r, want, done, lds, data, trace);
    free(trace);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
    observations_free(&o);
    const int32_t *groups[] = {ties.A.group, ties.B.group, ties.C.group, ties.D.group};
    for (int i = 0; i < (int)VDI__COUNT(groups); i++)
        free((void *)(uintptr_t)groups[i]);
    return code;
}

/* ---- score ----------------------------------------------------------------------------------- */

typedef struct score_options {
    const char *params;
    observation_options y;
} score_options;

static int score_main(run *r, void *options) {
    const score_options *want = (const score_options *)options;
    observations o;
    vdi_lds *lds;
    vdi_lds_data *data;
    vdi_error err = {0};
    double sum;
    const char *folder = want->params;
    if (!folder) return usage("expected --params FOLDER with A C Q R b x0 Q0 .npy");
    if (!observations_load(r->argument[0], &want->y, &o) ||
        !lds_load(folder, o.n, o.inputs, false, &lds) || !lds_data_make(r, lds, &o, 0, &data))
        return FAILED;
    if (vdi_lds_log_likelihood(lds, data, NULL, &sum, &err) < 0)
        return fail_error(&err, r->argument[0]);
    static const char *const keys[] = {"log_likelihood", "per_bin", "bins"};
    double bins = (double)vdi_lds_data_observed_bins(data), values[] = {sum, sum / bins, bins};
    print_results(r, keys, values, 3);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
    return DONE;
}

static const option smooth_rows[] = {
    LDS_PARAMS_OPTION(smooth_options),
    OPTION("kalman", NULL,
           VDI_FIELD_BOOL(smooth_options, kalman,
                          "smooth by Kalman filter and RTS instead of the block-tridiagonal "
                          "solver")),
    LDS_WINDOW_OPTION(smooth_options),
    DECODE_OPTION(smooth_options),
    OBSERVATION_OPTIONS(smooth_options, y, ""),
};
const command lds_smooth_command = {
    .family = "lds",
    .verb = "smooth",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .out = true,
    .summary = "Exact posterior moments of the latents. Writes means mp mf ms (trials,T,d), "
               "covariances Pp Pf Ps and Pc = Cov(z_{t+1}, z_t) ((T,d,d) where all trials share "
               "them, else (trials,T,d,d)), ll (trials,), the log likelihood in nats, and of "
               "the observations (trials,T,N) ys yv, mean and variance of a value measured anew, "
               "and innovations, standardised; each .npy. Of trials so long that their covariances "
               "would fill the memory all is written as it comes.",
    .example = "vdi lds smooth y.npy --params model --out run",
    COMMAND_OPTIONS(smooth_rows),
    .size = sizeof(smooth_options),
    .main = smooth_main,
};

#define FIT_OPTION(name_, value_, member_) \
    OPTION_OF(name_, value_, NULL, fit_options, model, vdi_lds_desc_fields, #member_)
static const option fit_rows[] = {
    {.name = "d",
     .also = "dim",
     .value = "D",
     .table = vdi_lds_desc_fields,
     .member = "d",
     .offset = offsetof(fit_options, model),
     .help = "latent dimension; the start is found from the data"},
    OPTION_TEXT(fit_options, init, "init", "FOLDER", NULL, "start from these parameters instead"),
    OPTION("iters", "N",
           VDI_FIELD_INT(fit_options, iters, 100, 0, 100000000,
                         "iterations of EM, exactly, unless --tol ends it")),
    OPTION("tol", "E",
           VDI_FIELD_REAL(fit_options, tol, 0, 0, 1e300,
                          "end when a step rises by less than so many nats a bin; 0: go on")),
    FIT_OPTION("diagonal-r", NULL, diagonal_r),
    OPTION_TEXT(fit_options, freeze, "freeze", "NAMES", NULL,
                "leave these parameters as they are: names with commas, as A,R"),
    OPTION_TEXT(fit_options, ties, "ties", "FOLDER", NULL,
                "A B C D .npy, any of them, of groups: elements with 0 stay as they are, equal "
                "numbers from 1 on are kept equal"),
    OPTION_TEXT(fit_options, bounds, "bounds-a", "LOW,HIGH", NULL,
                "bounds of the elements of A that are sought"),
    FIT_OPTION("q-floor", "F", q_floor),
    FIT_OPTION("r-floor", "F", r_floor),
    FIT_OPTION("max-radius", "F", max_radius),
    OPTION_TEXT(fit_options, resume, "resume", "RUN", NULL,
                "go on with an interrupted run; ends in the same bits"),
    LDS_WINDOW_OPTION(fit_options),
    OBSERVATION_OPTIONS(fit_options, y, ""),
};
const command lds_fit_command = {
    .family = "lds",
    .verb = "fit",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .out = true,
    .summary = "Learn a linear dynamical system by exact EM. Y is (trials,T,N) or (T,N); NaN is a "
               "missing value. Writes A C Q R b x0 Q0 .npy, trace.npy (log likelihood before each "
               "iteration and after the last), latents.svg and a checkpoint.",
    .example = "vdi lds fit y.npy -d 4 --iters 100 --out run",
    COMMAND_OPTIONS(fit_rows),
    .size = sizeof(fit_options),
    .main = fit_main,
};

static const option score_rows[] = {
    LDS_PARAMS_OPTION(score_options),
    OBSERVATION_OPTIONS(score_options, y, ""),
};
const command lds_score_command = {
    .family = "lds",
    .verb = "score",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .summary = "The log likelihood of observations under a model: nats, all constants included.",
    .example = "vdi lds score y.npy --params run --json",
    COMMAND_OPTIONS(score_rows),
    .size = sizeof(score_options),
    .main = score_main,
};
