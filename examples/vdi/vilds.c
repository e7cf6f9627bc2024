/* examples/vdi/vilds.c - vdi vilds fit | infer | score: variational inference for latent time
 * series
 *
 * The verbs of flds are the same functions with more to say; flds.c names them.
 */
#include "vilds.h"

/* MODEL and Y, as infer and score take them. */
static bool model_and_data(run *r, const observation_options *with, vilds_model *model,
                           observations *o, vdi_vilds_data **data) {
    return vilds_model_load(r, r->argument[0], model) &&
           observations_load(r->argument[1], with, o) && vilds_data_make(model, o, data);
}

/* ---- infer ----------------------------------------------------------------------------------- */

/* Arrays of what was inferred, and its pictures. */
static bool infer_save(const run *r, const observations *o, const vdi_vilds_data *data,
                       const vdi_vilds_desc *m, int64_t samples, const vdi_vilds_result *out,
                       const double *label) {
    const int64_t d = m->d;
    const int64_t mean[3] = {o->trials, o->T, d}, cov[4] = {o->trials, o->T, d, d};
    const int64_t lagcov[4] = {o->trials, o->T - 1, d, d}, rate[3] = {o->trials, o->T, o->n};
    const int64_t sample[4] = {samples, o->trials, o->T, d};
    vdi_error err = {0};
    if (!(array_save(r, "mean", 3, mean, out->mean) && array_save(r, "cov", 4, cov, out->cov) &&
          array_save(r, "lagcov", 4, lagcov, out->lagcov) &&
          array_save(r, "rates", 3, rate, out->rate) &&
          array_save(r, "elbo", 1, &o->trials, out->elbo) &&
          (!samples || array_save(r, "samples", 4, sample, out->sample))))
        return false;
    char *latents = path_join(r->out, "latents.svg"), *rates = path_join(r->out, "rates.svg");
    const latents_view view = {o->trials, o->T,     d,     o->lengths,
                               out->mean, out->cov, label, vilds_bin_seconds(m)};
    bool ok = latents_picture(latents, NULL, &view, &err);
    ok = ok &&
         rates_picture(rates, NULL, vdi_vilds_data_length(data, 0), o->n, (const double *)o->y.data,
                       out->rate, vdi_vilds_obs_counts((int)m->obs), vilds_bin_seconds(m), &err);
    if (!ok) (void)fail_error(&err, r->out);
    free(latents);
    free(rates);
    return ok;
}

int vilds_infer_main(run *r, void *options) {
    const vilds_infer_options *want = (const vilds_infer_options *)options;
    vilds_model model = {0};
    observations o;
    vdi_vilds_data *data = NULL;
    vdi_error err = {0};
    vdi_vilds_query q = {0};
    vdi_vilds_result out = {0};
    double *label = NULL;
    const int64_t samples = want->samples;
    if (!model_and_data(r, &want->y, &model, &o, &data) ||
        !label_load(want->label, o.trials, o.T, &label))
        return FAILED;
    const vdi_vilds_desc *d = vdi_vilds_description(model.m);
    const int64_t bins = o.trials * o.T, pairs = o.trials * (o.T - 1), block = d->d * d->d;
    q.refine = want->query.refine;
    q.seed = r->seed;
    q.samples = samples > 64 ? samples : 64; /* the rates are means over them */
    out.mean = doubles(bins * d->d);
    out.cov = doubles(bins * block);
    out.lagcov = doubles(pairs * block);
    out.rate = doubles(bins * o.n);
    out.elbo = doubles(o.trials);
    if (samples) out.sample = doubles(q.samples * bins * d->d);
    bool ok = run_open_out(r);
    if (ok && vdi_vilds_infer(model.m, data, &q, &out, &err) < 0) {
        ok = false;
        (void)fail_error(&err, o.file);
    }
    vilds_map(&model, bins, out.mean, out.cov, out.lagcov, pairs);
    vilds_map(&model, samples * bins, out.sample, NULL, NULL, 0);
    ok = ok && infer_save(r, &o, data, d, samples, &out, label);
    const double total = (double)vdi_vilds_data_total_bins(data);
    told t = {0};
    told_add(&t, "elbo_per_bin", vdi_sum(VDI_F64, (size_t)o.trials, out.elbo) / total);
    told_add(&t, "trials", (double)o.trials);
    told_add(&t, "bins", total);
    ok = ok && decode_tell(r, want->decode, o.trials, o.T, d->d, o.lengths, out.mean, &t);
    if (ok) print_results(r, t.key, t.value, t.count);
    double *own[] = {label, out.mean, out.cov, out.lagcov, out.rate, out.elbo, out.sample};
    for (int i = 0; i < (int)VDI__COUNT(own); i++)
        free(own[i]);
    vdi_vilds_data_destroy(data);
    observations_free(&o);
    vilds_model_free(&model);
    return ok ? DONE : FAILED;
}

/* ---- score ----------------------------------------------------------------------------------- */

/* Bounds per bin into elbo and, if there are to be samples for it, iw. */
static bool bounds(vilds_model *model, const observations *o, vdi_vilds_data *data,
                   const vdi_vilds_query *q, double *elbo, double *iw) {
    vdi_error err = {0};
    vdi_vilds_result out = {0};
    double bins = (double)vdi_vilds_data_total_bins(data);
    out.elbo = doubles(o->trials);
    if (q->iw > 0) out.iw = doubles(o->trials);
    bool ok = vdi_vilds_infer(model->m, data, q, &out, &err) >= 0;
    if (!ok) (void)fail_error(&err, o->file);
    *elbo = vdi_sum(VDI_F64, (size_t)o->trials, out.elbo) / bins;
    if (out.iw) *iw = vdi_sum(VDI_F64, (size_t)o->trials, out.iw) / bins;
    free(out.elbo);
    free(out.iw);
    return ok;
}

static vdi_status npy_write(const char *path, const void *what, vdi_error *err) {
    return vdi_npy_save(path, *(const vdi_tensor *)what, err);
}

bool vilds_predict(const vilds_model *model, const observations *o, vdi_vilds_data *data,
                   vdi_vilds_prediction what, const vdi_vilds_query *q, double *rates, double *bits,
                   double *mse) {
    vdi_error err = {0};
    vdi_score_bits b;
    const int64_t rows = o->trials * o->T;
    const double *y = (const double *)o->y.data;
    double *log_p = doubles(rows * o->n), *constant = vilds_constant(model, o, data);
    if (!constant) return false;
    bool ok = vdi_vilds_predict(model->m, data, what, q, log_p, rates, &err) >= 0 &&
              vdi_score_bits_against(rows, o->n, y, log_p, constant, &b, &err) >= 0;
    if (ok) {
        *bits = b.bits_per_spike;
        *mse = vdi_score_mse(rows * o->n, y, rates);
    } else {
        (void)fail_error(&err, o->file);
    }
    free(log_p);
    free(constant);
    return ok;
}

/* log p(y) by particles, per bin, and its standard error. */
static bool particles_score(vilds_model *model, const observations *o, vdi_vilds_data *data,
                            const vdi_vilds_query *q, int64_t count, told *t) {
    vdi_error err = {0};
    const double bins = (double)vdi_vilds_data_total_bins(data);
    const size_t trials = (size_t)o->trials;
    const vdi_vilds_particles p = {.count = count, .seed = q->seed};
    double *log_p = doubles(o->trials), *se = doubles(o->trials);
    const bool ok = vdi_vilds_log_p(model->m, data, q, &p, log_p, se, &err) >= 0;
    if (ok) {
        told_add(t, "particle_per_bin", vdi_sum(VDI_F64, trials, log_p) / bins);
        told_add(t, "particle_se_per_bin", sqrt(vdi_dot(VDI_F64, trials, se, se)) / bins);
    } else {
        (void)fail_error(&err, o->file);
    }
    free(log_p);
    free(se);
    return ok;
}

/* Bounds, the one before refinement too if there is one. */
static bool score_bounds(run *r, const vilds_score_options *want, vilds_model *model,
                         const observations *o, vdi_vilds_data *data, told *t) {
    vdi_vilds_query q = {0};
    double elbo = 0, iw = 0, amortised = 0, homogeneous = 0;
    q.seed = r->seed;
    q.samples = want->query.samples;
    if (want->query.refine > 0 && !bounds(model, o, data, &q, &amortised, NULL)) return false;
    q.refine = want->query.refine;
    q.iw = want->query.iw;
    if (!bounds(model, o, data, &q, &elbo, &iw)) return false;
    told_add(t, "elbo_per_bin", elbo);
    if (q.refine > 0) told_add(t, "amortised_elbo_per_bin", amortised);
    if (q.iw > 0) told_add(t, "iw_per_bin", iw);
    if (want->particles && !particles_score(model, o, data, &q, want->particles, t)) return false;
    if (!vilds_homogeneous(model, o, data, &homogeneous)) return false;
    told_add(t, "homogeneous_per_bin", homogeneous);
    return true;
}

/* --lno and --one-step. */
static bool score_predictions(run *r, const vilds_score_options *want, vilds_model *model,
                              const observations *o, vdi_vilds_data *data, told *t) {
    const bool lno = want->lno || (want->rates_out && !want->one_step);
    const int64_t shape[3] = {o->trials, o->T, o->n};
    const int obs = (int)vdi_vilds_description(model->m)->obs;
    double bits, mse;
    vdi_vilds_query q = {0};
    vdi_error err = {0};
    if (!lno && !want->one_step) return true;
    if (!vdi_vilds_obs_counts(obs)) {
        (void)fail("bits per spike need spikes: the model's observations are %s, in %s",
                   vdi_vilds_obs_name(obs), r->argument[0]);
        return false;
    }
    double *rates = doubles(o->trials * o->T * o->n);
    q.seed = r->seed;
    q.samples = want->query.samples;
    q.refine = want->refine_predict;
    bool ok = true;
    if (want->one_step) {
        ok = vilds_predict(model, o, data, VDI_VILDS_ONE_STEP, &q, rates, &bits, &mse);
        told_add(t, "one_step_bits_per_spike", bits);
        told_add(t, "one_step_mse", mse);
    }
    if (ok && lno) {
        ok = vilds_predict(model, o, data, VDI_VILDS_LEAVE_ONE_OUT, &q, rates, &bits, &mse);
        told_add(t, "lno_bits_per_spike", bits);
        told_add(t, "lno_mse", mse);
    }
    vdi_tensor all = vdi_tensor_view(rates, VDI_F64, 3, shape);
    if (ok && want->rates_out && !save_atomically(want->rates_out, npy_write, &all, &err)) {
        ok = false;
        (void)fail_error(&err, want->rates_out);
    }
    free(rates);
    return ok;
}

int vilds_score_main(run *r, const vilds_score_options *want) {
    vilds_model model = {0};
    observations o;
    vdi_vilds_data *data = NULL;
    told t = {0};
    if (!model_and_data(r, &want->y, &model, &o, &data) || !run_open_out(r)) return FAILED;
    const bool ok = score_bounds(r, want, &model, &o, data, &t) &&
                    score_predictions(r, want, &model, &o, data, &t);
    told_add(&t, "trials", (double)o.trials);
    told_add(&t, "bins", (double)vdi_vilds_data_total_bins(data));
    if (ok) print_results(r, t.key, t.value, t.count);
    vdi_vilds_data_destroy(data);
    observations_free(&o);
    vilds_model_free(&model);
    return ok ? DONE : FAILED;
}

/* ---- the commands ---------------------------------------------------------------------------- */

static int fit_main(run *r, void *options) {
    return vilds_fit_main(r, (vilds_fit_options *)options, false);
}

static int score_main(run *r, void *options) {
    return vilds_score_main(r, (const vilds_score_options *)options);
}

static const option fit_rows[] = {VILDS_FIT_OPTIONS};
const command vilds_fit_command = {
    .family = "vilds",
    .verb = "fit",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .out = true,
    .summary =
        "Learn a latent time-series model by variational inference. Y is (trials,T,N) or (T,N); "
        "NaN is a missing value. Writes model.safetensors, trace.csv (bound of each step's batch, "
        "learning rate, bound on --val), trace.svg, latents.svg, rates.svg and a checkpoint. What "
        "is not said about the training is chosen from the data and told in run.json.",
    .example = "vdi vilds fit y.npy -d 3 --obs gaussian --posterior direct --out run",
    COMMAND_OPTIONS(fit_rows),
    .size = sizeof(vilds_fit_options),
    .main = fit_main,
};

static const option infer_rows[] = {VILDS_INFER_OPTIONS("0")};
const command vilds_infer_command = {
    .family = "vilds",
    .verb = "infer",
    .arguments = "MODEL Y",
    .least = 2,
    .most = 2,
    .out = true,
    .summary =
        "The posterior of the latents of each trial. MODEL is a model.safetensors or the folder of "
        "a fit. Writes mean (trials,T,d), cov (trials,T,d,d), lagcov (trials,T-1,d,d) = "
        "Cov(z_{t+1}, z_t), rates (trials,T,N) = E of the mean of y, elbo (trials,) in nats and "
        "with --samples also samples (S,trials,T,d); each .npy, 0 behind a trial's end. Pictures: "
        "latents.svg, rates.svg.",
    .example = "vdi vilds infer run y.npy --refine 8 --out posterior",
    COMMAND_OPTIONS(infer_rows),
    .size = sizeof(vilds_infer_options),
    .main = vilds_infer_main,
};

static const option score_rows[] = {VILDS_SCORE_OPTIONS};
const command vilds_score_command = {
    .family = "vilds",
    .verb = "score",
    .arguments = "MODEL Y",
    .least = 2,
    .most = 2,
    .summary =
        "The evidence lower bound of observations under a model, in nats per bin, all channels "
        "summed, log y! included; beside it homogeneous_per_bin: constant rates with the means of "
        "the training data (gaussian: their standard deviations too).",
    .example = "vdi vilds score run y.npy --refine 8 --iw 64 --json",
    COMMAND_OPTIONS(score_rows),
    .size = sizeof(vilds_score_options),
    .main = score_main,
};
