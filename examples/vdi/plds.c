/* examples/vdi/plds.c - vdi plds fit | infer | score | predict: the Poisson linear dynamical
 * system */

#include "vilds.h"

/* Files beside Y: a plds has no inputs. */
#define PLDS_DATA_OPTIONS(type)                                             \
    OPTION_TEXT(type, y.lengths, "lengths", "LENGTHS.npy", NULL,            \
                "bins of each trial that count (trials,); all without it"), \
        OFFSET_OPTION(type, y, "")

static vdi_plds_data *data_make(const run *r, const vdi_plds *p, const observations *o) {
    vdi_plds_data_desc desc = {0};
    vdi_plds_data *data = NULL;
    vdi_error err = {0};
    desc.y = o->y;
    desc.offset = o->offset;
    desc.lengths = o->lengths;
    desc.pool = r->pool;
    if (vdi_plds_data_create(p, &desc, &data, &err) < 0) (void)fail_error(&err, o->file);
    return data;
}

/* ---- the model's file ------------------------------------------------------------------------ */

/* The parameters, and each neuron's mean count in training. */
static bool model_save(const run *r, vdi_plds *p, double *means) {
    const vdi_state own = vdi_plds_state(p);
    vdi_state *s = state_copy(&own, 1, 1);
    state_note(s, "version", VDI_VERSION);
    state_add(s, "training.means", vdi_tensor_1d(means, VDI_F64, p->desc.n));
    return state_save(r, "model.safetensors", s);
}

/* From a file or the folder of a fit; *means is malloc'ed. */
static bool model_load(const char *path, vdi_plds **out, double **means) {
    vdi_error err = {0};
    vdi_safetensors file;
    vdi_plds_desc desc = {0};
    const bool folder = folder_exists(path);
    char *inside = path_join(path, "model.safetensors");
    const char *name = folder ? inside : path;
    if (vdi_safetensors_load(name, NULL, &file, &err) < 0) {
        (void)fail_error(&err, name);
        free(inside);
        return false;
    }
    const vdi_tensor mean = vdi_safetensors_find(&file, "training.means");
    bool ok =
        vdi_plds_desc_from_meta(&desc, file.state.meta, file.state.meta_count, &err) == VDI_OK &&
        vdi_plds_create(&desc, out, &err) == VDI_OK;
    if (ok) {
        vdi_state state = vdi_plds_state(*out);
        *means = doubles(desc.n);
        ok = vdi_safetensors_copy_to(&file, &state, &err) == VDI_OK &&
             vdi_tensor_copy(vdi_tensor_1d(*means, VDI_F64, desc.n), mean, &err) == VDI_OK &&
             vdi_plds_check(*out, &err) == VDI_OK;
    }
    if (!ok) (void)fail("expected a model that 'vdi plds fit' wrote: %s, in %s", err.message, name);
    vdi_safetensors_free(&file);
    free(inside);
    return ok;
}

/* What every verb but fit begins with. */
typedef struct session {
    vdi_plds *p;
    vdi_plds_data *data;
    double *means; /* (n) */
    observations o;
} session;

static bool session_open(const run *r, const observation_options *with, session *s) {
    memset(s, 0, sizeof *s);
    if (!model_load(r->argument[0], &s->p, &s->means) ||
        !observations_load(r->argument[1], with, &s->o))
        return false;
    s->data = data_make(r, s->p, &s->o);
    if (!s->data) return false;
    for (int64_t i = 0; s->o.lengths && i < s->o.trials; i++) { /* scores leave NaN out */
        double *y = (double *)s->o.y.data + i * s->o.T * s->o.n;
        for (int64_t k = s->o.lengths[i] * s->o.n; k < s->o.T * s->o.n; k++)
            y[k] = NAN;
    }
    return true;
}

static void session_close(session *s) {
    vdi_plds_data_destroy(s->data);
    vdi_plds_destroy(s->p);
    observations_free(&s->o);
    free(s->means);
}

/* ---- infer ----------------------------------------------------------------------------------- */

typedef struct infer_options {
    observation_options y;
    const char *label, *decode;
} infer_options;

/* Pictures of the posterior and, with a `t`, files of it and what it says; --decode (NULL: not) of
 * the latents too. */
static bool posterior_save(const run *r, const vdi_plds *p, vdi_plds_data *data,
                           const observations *o, const double *label, const char *decode,
                           told *t) {
    const int64_t d = p->desc.d, bins = o->trials * o->T;
    const int64_t mean[3] = {o->trials, o->T, d}, cov[4] = {o->trials, o->T, d, d};
    const int64_t lag[4] = {o->trials, o->T - 1, d, d}, rate[3] = {o->trials, o->T, o->n};
    vdi_error err = {0};
    vdi_plds_moments m = {doubles(bins * d), doubles(bins * d * d),
                          doubles(o->trials * (o->T - 1) * d * d), doubles(bins * o->n),
                          doubles(o->trials)};
    bool ok = vdi_plds_infer(p, data, &m, &err) >= 0;
    if (!ok) (void)fail_error(&err, o->file);
    if (ok && t) {
        const double observed = (double)vdi_plds_data_observed_bins(data);
        told_add(t, "elbo_per_bin", vdi_sum(VDI_F64, (size_t)o->trials, m.elbo) / observed);
        told_add(t, "trials", (double)o->trials);
        told_add(t, "bins", observed);
        ok = array_save(r, "mean", 3, mean, m.mean) && array_save(r, "cov", 4, cov, m.cov) &&
             array_save(r, "lagcov", 4, lag, m.lagcov) && array_save(r, "rates", 3, rate, m.rate) &&
             array_save(r, "elbo", 1, &o->trials, m.elbo) &&
             decode_tell(r, decode, o->trials, o->T, d, o->lengths, m.mean, t);
    }
    char *latents = path_join(r->out, "latents.svg"), *rates = path_join(r->out, "rates.svg");
    if (ok) {
        const latents_view view = {.trials = o->trials,
                                   .T = o->T,
                                   .d = d,
                                   .lengths = o->lengths,
                                   .mean = m.mean,
                                   .cov = m.cov,
                                   .label = label};
        ok = latents_picture(latents, NULL, &view, &err) &&
             rates_picture(rates, NULL, o->lengths ? o->lengths[0] : o->T, o->n,
                           (const double *)o->y.data, m.rate, true, 0, &err);
        if (!ok) (void)fail_error(&err, r->out);
    }
    double *own[] = {m.mean, m.cov, m.lagcov, m.rate, m.elbo};
    for (int i = 0; i < (int)VDI__COUNT(own); i++)
        free(own[i]);
    free(latents);
    free(rates);
    return ok;
}

static int infer_main(run *r, void *options) {
    const infer_options *want = (const infer_options *)options;
    session s;
    told t = {0};
    double *label = NULL;
    bool ok = session_open(r, &want->y, &s) && label_load(want->label, s.o.trials, s.o.T, &label) &&
              run_open_out(r) && posterior_save(r, s.p, s.data, &s.o, label, want->decode, &t);
    if (ok) print_results(r, t.key, t.value, t.count);
    free(label);
    session_close(&s);
    return ok ? DONE : FAILED;
}

/* ---- fit ------------------------------------------------------------------------------------- */

typedef struct fit_options {
    vdi_plds_desc model;
    int64_t iters;
    double tol;
    const char *init, *resume;
    observation_options y;
} fit_options;

/* What a fit has come to: the bounds so far, trace (done + 1). */
typedef struct fitting {
    vdi_plds *p;
    vdi_plds_data *data;
    double *trace;
    int64_t done;
} fitting;

/* The parameters, the posterior from which the next step starts, and the trace so far. */
static bool checkpoint_save(const run *r, const fitting *f) {
    const vdi_state own = vdi_plds_state(f->p), *posterior = vdi_plds_data_state(f->data);
    vdi_state *s = state_copy(&own, posterior->tensor_count + 1, 0);
    for (int64_t i = 0; i < posterior->tensor_count; i++)
        state_add(s, posterior->tensors[i].name, posterior->tensors[i].tensor);
    state_add(s, "trace", vdi_tensor_1d(f->trace, VDI_F64, f->done));
    return state_save(r, "checkpoint.safetensors", s);
}

static bool checkpoint_take(const vdi_safetensors *file, int64_t most, fitting *f, vdi_error *err) {
    const vdi_state state = vdi_plds_state(f->p);
    return trace_take(file, most, f->trace, &f->done, err) &&
           vdi_safetensors_copy_to(file, &state, err) == VDI_OK &&
           vdi_safetensors_copy_to(file, vdi_plds_data_state(f->data), err) == VDI_OK &&
           vdi_plds_check(f->p, err) == VDI_OK;
}

/* Where the run is; it stays at its beginning if it was ended before its first checkpoint. */
static bool checkpoint_load(const char *folder, int64_t most, fitting *f) {
    vdi_error err = {0};
    vdi_safetensors file;
    char *path = path_join(folder, "checkpoint.safetensors");
    bool ok = true;
    if (file_exists(path)) {
        ok = vdi_safetensors_load(path, NULL, &file, &err) == VDI_OK;
        if (ok) {
            ok = checkpoint_take(&file, most, f, &err);
            vdi_safetensors_free(&file);
        }
        if (!ok) (void)fail_error(&err, path);
    }
    free(path);
    return ok;
}

static int fit_begin(const run *r, const fit_options *want, const observations *o, fitting *f) {
    vdi_error err = {0};
    vdi_plds_desc desc = want->model;
    double *means = NULL;
    desc.n = o->n;
    if (want->init && !model_load(want->init, &f->p, &means)) return FAILED;
    free(means);
    if (want->init && f->p->desc.n != o->n) {
        return fail("expected %lld neurons, as the model has, got %lld, in %s",
                    (long long)f->p->desc.n, (long long)o->n, o->file);
    }
    if (!want->init && vdi_plds_create(&desc, &f->p, &err) < 0) return fail_error(&err, NULL);
    f->data = data_make(r, f->p, o);
    if (!f->data) return FAILED;
    if (!want->init && vdi_plds_init(f->p, f->data, r->seed, &err) < 0)
        return fail_error(&err, o->file);
    return !want->resume || checkpoint_load(want->resume, want->iters, f) ? DONE : FAILED;
}

/* Has the last step risen by less than --tol? */
static bool settled(const fit_options *want, const fitting *f, double bins) {
    if (!(want->tol > 0) || f->done < 2) return false;
    return f->trace[f->done - 1] - f->trace[f->done - 2] < want->tol * bins;
}

/* EM with checkpoints, until --iters, --tol or an interrupt; DONE, INTERRUPTED, or FAILED. */
static int fit_learn(run *r, const fit_options *want, fitting *f) {
    const double bins = (double)vdi_plds_data_observed_bins(f->data);
    vdi_error err = {0};
    double saved = seconds_now();
    while (f->done < want->iters && !settled(want, f, bins) && !interrupted()) {
        double *bound = f->trace + f->done;
        if (vdi_plds_em_step(f->p, f->data, bound, &err) < 0)
            return fail_error(&err, r->argument[0]);
        progress(r, ++f->done, want->iters, "bound per bin", *bound / bins);
        if (checkpoint_due(&saved, 10) && !checkpoint_save(r, f)) return FAILED;
    }
    progress_end(r);
    if (!checkpoint_save(r, f)) return FAILED;
    if (f->done == want->iters || settled(want, f, bins)) return DONE;
    fprintf(
        stderr,
        "vdi: interrupted after %lld of %lld iterations; go on with: vdi plds fit --resume %s\n",
        (long long)f->done, (long long)want->iters, r->out);
    return INTERRUPTED;
}

static int fit_leave(const run *r, const fit_options *want, fitting *f, const observations *o) {
    static const char *const keys[] = {"elbo_per_bin", "bins", "iterations", "converged"};
    const double bins = (double)vdi_plds_data_observed_bins(f->data);
    const double tol = want->tol > 0 ? want->tol : 1e-6;
    const int64_t length = f->done + 1;
    double *end = f->trace + f->done;
    vdi_error err = {0};
    if (vdi_plds_elbo(f->p, f->data, NULL, end, &err) < 0) return fail_error(&err, r->argument[0]);
    double *means = doubles(o->n);
    vdi_score_means(o->trials * o->T, o->n, (const double *)o->y.data, means);
    const bool ok = model_save(r, f->p, means) && array_save(r, "trace", 1, &length, f->trace) &&
                    posterior_save(r, f->p, f->data, o, NULL, NULL, NULL);
    free(means);
    if (!ok) return FAILED;
    const double values[] = {*end / bins, bins, (double)f->done,
                             f->done > 0 && end[0] - end[-1] < tol * bins};
    print_results(r, keys, values, 4);
    return DONE;
}

static int fit_main(run *r, void *options) {
    const fit_options *want = (const fit_options *)options;
    observations o;
    fitting f = {0};
    if ((want->model.d > 0) == (want->init != NULL)) {
        return usage(
            "expected either -d D (latent dimension) or --init RUN (a model to start from)");
    }
    if (!observations_load(r->argument[0], &want->y, &o)) return FAILED;
    f.trace = doubles(want->iters + 1);
    int code = fit_begin(r, want, &o, &f);
    if (code == DONE && !run_open_out(r)) code = FAILED;
    if (code == DONE) code = fit_learn(r, want, &f);
    if (code == DONE) code = fit_leave(r, want, &f, &o);
    free(f.trace);
    vdi_plds_data_destroy(f.data);
    vdi_plds_destroy(f.p);
    observations_free(&o);
    return code;
}

/* ---- predict --------------------------------------------------------------------------------- */

/* rates and log_p (trials,T,n) of the counts, each from others. */
static bool predict(session *s, vdi_plds_task task, vdi_plds_prediction *out) {
    vdi_error err = {0};
    if (vdi_plds_predict(s->p, s->data, task, out, &err) >= 0) return true;
    (void)fail_error(&err, s->o.file);
    return false;
}

static const char *const task_words[] = {"lno", "one_step", NULL};
typedef struct predict_options {
    int32_t task;
    vdi_plds_prediction with;
    observation_options y;
} predict_options;

static int predict_main(run *r, void *options) {
    static const char *const keys[] = {"trials", "bins"};
    const predict_options *want = (const predict_options *)options;
    session s;
    if (!session_open(r, &want->y, &s)) return FAILED;
    const int64_t shape[3] = {s.o.trials, s.o.T, s.o.n}, count = shape[0] * shape[1] * shape[2];
    vdi_plds_prediction out = want->with;
    out.mean = doubles(count);
    out.variance = doubles(count);
    out.rate = doubles(count);
    out.log_p = doubles(count);
    const bool ok = run_open_out(r) && predict(&s, (vdi_plds_task)want->task, &out) &&
                    array_save(r, "mean", 3, shape, out.mean) &&
                    array_save(r, "variance", 3, shape, out.variance) &&
                    array_save(r, "rates", 3, shape, out.rate) &&
                    array_save(r, "log_p", 3, shape, out.log_p);
    const double values[] = {(double)s.o.trials, (double)vdi_plds_data_observed_bins(s.data)};
    if (ok) print_results(r, keys, values, 2);
    double *own[] = {out.mean, out.variance, out.rate, out.log_p};
    for (int i = 0; i < (int)VDI__COUNT(own); i++)
        free(own[i]);
    session_close(&s);
    return ok ? DONE : FAILED;
}

/* ---- score ----------------------------------------------------------------------------------- */

typedef struct score_options {
    bool lno, one_step;
    int64_t samples;
    observation_options y;
} score_options;

/* Bits per spike and squared error of a task, against the training means. */
static bool score_task(session *s, vdi_plds_task task, const char *bits_key, const char *mse_key,
                       told *t) {
    const int64_t rows = s->o.trials * s->o.T, count = rows * s->o.n;
    const double *y = (const double *)s->o.y.data;
    vdi_error err = {0};
    vdi_score_bits bits;
    vdi_plds_prediction out = {0};
    out.log_p = doubles(count);
    out.rate = doubles(count);
    bool ok = predict(s, task, &out);
    if (ok && vdi_score_bits_per_spike(rows, s->o.n, y, out.log_p, s->means, &bits, &err) < 0) {
        (void)fail_error(&err, s->o.file);
        ok = false;
    }
    if (ok) {
        told_add(t, bits_key, bits.bits_per_spike);
        told_add(t, mse_key, vdi_score_mse(count, y, out.rate));
    }
    free(out.log_p);
    free(out.rate);
    return ok;
}

static bool score_bounds(const run *r, const score_options *want, session *s, told *t) {
    const double bins = (double)vdi_plds_data_observed_bins(s->data);
    const double *y = (const double *)s->o.y.data;
    vdi_error err = {0};
    double sum = 0;
    if (vdi_plds_elbo(s->p, s->data, NULL, &sum, &err) < 0) {
        (void)fail_error(&err, s->o.file);
        return false;
    }
    told_add(t, "elbo_per_bin", sum / bins);
    if (want->samples > 0) {
        if (vdi_plds_log_likelihood(s->p, s->data, want->samples, r->seed, NULL, NULL, &sum, &err) <
            0) {
            (void)fail_error(&err, s->o.file);
            return false;
        }
        told_add(t, "iw_per_bin", sum / bins);
    }
    sum = vdi_score_homogeneous(s->o.trials * s->o.T, s->o.n, y, s->means, NULL);
    told_add(t, "homogeneous_per_bin", sum / bins);
    return true;
}

static int score_main(run *r, void *options) {
    const score_options *want = (const score_options *)options;
    session s;
    told t = {0};
    bool ok = session_open(r, &want->y, &s) && score_bounds(r, want, &s, &t);
    if (ok && want->one_step) {
        ok = score_task(&s, VDI_PLDS_ONE_STEP, "one_step_bits_per_spike", "one_step_mse", &t);
    }
    if (ok && want->lno) {
        ok = score_task(&s, VDI_PLDS_LEAVE_ONE_OUT, "lno_bits_per_spike", "lno_mse", &t);
    }
    if (ok) {
        told_add(&t, "trials", (double)s.o.trials);
        told_add(&t, "bins", (double)vdi_plds_data_observed_bins(s.data));
        print_results(r, t.key, t.value, t.count);
    }
    session_close(&s);
    return ok ? DONE : FAILED;
}

/* ---- the commands ---------------------------------------------------------------------------- */

#define MODEL_OPTION(name_, value_, member_) \
    OPTION_OF(name_, value_, NULL, fit_options, model, vdi_plds_desc_fields, #member_)
static const option fit_rows[] = {
    {.name = "d",
     .also = "dim",
     .value = "D",
     .table = vdi_plds_desc_fields,
     .member = "d",
     .offset = offsetof(fit_options, model),
     .help = "latent dimension"},
    OPTION_TEXT(fit_options, init, "init", "RUN", NULL,
                "start from the model of another fit instead"),
    OPTION("iters", "N",
           VDI_FIELD_INT(fit_options, iters, 60, 0, 100000000, "iterations of EM, at most")),
    OPTION("tol", "E",
           VDI_FIELD_REAL(fit_options, tol, 0, 0, 1e300,
                          "end when a step rises by less than so many nats a bin; 0: go on")),
    MODEL_OPTION("ridge", "F", ridge),
    MODEL_OPTION("q-floor", "F", q_floor),
    MODEL_OPTION("max-radius", "F", max_radius),
    OPTION_TEXT(fit_options, resume, "resume", "RUN", NULL,
                "go on with an interrupted run; ends in the same bits"),
    PLDS_DATA_OPTIONS(fit_options),
};
const command plds_fit_command = {
    .family = "plds",
    .verb = "fit",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .out = true,
    .summary =
        "Learn a Poisson linear dynamical system by variational EM. Y is counts (trials,T,N) "
        "or (T,N); NaN is a missing value. Writes model.safetensors, trace.npy (the bound "
        "before each iteration and after the last), latents.svg and rates.svg.",
    .example = "vdi plds fit counts.npy -d 3 --iters 60 --out run",
    COMMAND_OPTIONS(fit_rows),
    .size = sizeof(fit_options),
    .main = fit_main,
};

static const option infer_rows[] = {
    OPTION_TEXT(infer_options, label, "label", "FILE", NULL,
                "colours latents.svg: a number for each trial (trials,) or bin (trials,T)"),
    DECODE_OPTION(infer_options),
    PLDS_DATA_OPTIONS(infer_options),
};
const command plds_infer_command = {
    .family = "plds",
    .verb = "infer",
    .arguments = "MODEL Y",
    .least = 2,
    .most = 2,
    .out = true,
    .summary = "The posterior of the latents of each trial. MODEL is a model.safetensors or the "
               "folder of a fit. Writes mean (trials,T,d), cov (trials,T,d,d), lagcov "
               "(trials,T-1,d,d) = Cov(z_{t+1}, z_t), rates (trials,T,N) and elbo (trials,) in "
               "nats; each .npy, 0 behind a trial's end. Pictures: latents.svg, rates.svg.",
    .example = "vdi plds infer run counts.npy --out posterior",
    COMMAND_OPTIONS(infer_rows),
    .size = sizeof(infer_options),
    .main = infer_main,
};

static const option score_rows[] = {
    OPTION("lno", NULL,
           VDI_FIELD_BOOL(score_options, lno,
                          "also predict each neuron from the others, all bins of the trial")),
    OPTION("one-step", NULL,
           VDI_FIELD_BOOL(score_options, one_step,
                          "also predict each bin from those before it, all neurons")),
    OPTION("iw", "K",
           VDI_FIELD_INT(score_options, samples, 0, 0, 1000000000,
                         "also the importance-weighted estimate of log p(y), of so many samples")),
    PLDS_DATA_OPTIONS(score_options),
};
const command plds_score_command = {
    .family = "plds",
    .verb = "score",
    .arguments = "MODEL Y",
    .least = 2,
    .most = 2,
    .summary = "The evidence lower bound of counts under a model, in nats per bin, all neurons "
               "summed, log y! included; beside it homogeneous_per_bin: constant rates with the "
               "means of the training data.",
    .example = "vdi plds score run counts.npy --lno --json",
    COMMAND_OPTIONS(score_rows),
    .size = sizeof(score_options),
    .main = score_main,
};

static const option predict_rows[] = {
    OPTION("task", "WORD",
           VDI_FIELD_ENUM(predict_options, task, task_words,
                          "from the other neurons in all bins, or from the bins before")),
    OPTION_OF("nodes", "N", NULL, predict_options, with, vdi_plds_prediction_fields, "nodes"),
    OPTION_OF("window", "T", NULL, predict_options, with, vdi_plds_prediction_fields, "window"),
    PLDS_DATA_OPTIONS(predict_options),
};
const command plds_predict_command = {
    .family = "plds",
    .verb = "predict",
    .arguments = "MODEL Y",
    .least = 2,
    .most = 2,
    .out = true,
    .summary = "Predict every count from others. Writes mean and variance of the log rate, rates "
               "(the median rate) and log_p, the log probability of the count, its rate integrated "
               "out, in nats; each (trials,T,N), .npy.",
    .example = "vdi plds predict run counts.npy --task one-step --out ahead",
    COMMAND_OPTIONS(predict_rows),
    .size = sizeof(predict_options),
    .main = predict_main,
};
