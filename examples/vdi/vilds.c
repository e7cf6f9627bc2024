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
    if (!run_open_out(r)) return FAILED;
    if (vdi_vilds_infer(model.m, data, &q, &out, &err) < 0) return fail_error(&err, o.file);
    vilds_map(&model, bins, out.mean, out.cov, out.lagcov, pairs);
    vilds_map(&model, samples * bins, out.sample, NULL, NULL, 0);
    const int64_t mean[3] = {o.trials, o.T, d->d};
    const int64_t cov[4] = {o.trials, o.T, d->d, d->d};
    const int64_t lagcov[4] = {o.trials, o.T - 1, d->d, d->d};
    const int64_t rate[3] = {o.trials, o.T, o.n};
    const int64_t sample[4] = {samples, o.trials, o.T, d->d};
    bool ok = array_save(r, "mean", 3, mean, out.mean) && array_save(r, "cov", 4, cov, out.cov) &&
              array_save(r, "lagcov", 4, lagcov, out.lagcov) &&
              array_save(r, "rates", 3, rate, out.rate) &&
              array_save(r, "elbo", 1, &o.trials, out.elbo) &&
              (!samples || array_save(r, "samples", 4, sample, out.sample));
    char *latents = path_join(r->out, "latents.svg"), *rates = path_join(r->out, "rates.svg");
    if (ok && !latents_picture(latents, NULL, o.trials, o.T, d->d, o.lengths, out.mean, out.cov,
                               label, &err)) {
        ok = false;
        (void)fail_error(&err, latents);
    }
    if (ok &&
        !rates_picture(rates, NULL, vdi_vilds_data_length(data, 0), o.n, (const double *)o.y.data,
                       out.rate, vdi_vilds_obs_counts((int)d->obs), &err)) {
        ok = false;
        (void)fail_error(&err, rates);
    }
    static const char *const keys[] = {"elbo_per_bin", "trials", "bins"};
    double total = (double)vdi_vilds_data_total_bins(data);
    double values[] = {vdi_sum(VDI_F64, (size_t)o.trials, out.elbo) / total, (double)o.trials,
                       total};
    if (ok) print_results(r, keys, values, 3);
    free(latents);
    free(rates);
    free(label);
    free(out.mean);
    free(out.cov);
    free(out.lagcov);
    free(out.rate);
    free(out.elbo);
    free(out.sample);
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

/* Predictive probabilities against the constant model; the predicted rates into `rates`
 * (trials,T,n). */
static bool predict(vilds_model *model, const observations *o, vdi_vilds_data *data,
                    vdi_vilds_prediction what, const vdi_vilds_query *q, double *rates,
                    double *bits, double *mse) {
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

int vilds_score_main(run *r, const vilds_score_options *want, bool flds) {
    vilds_model model = {0};
    observations o;
    vdi_vilds_data *data = NULL;
    vdi_vilds_query q = {0};
    const char *rates_out = want->rates_out, *keys[16];
    double values[16], elbo = 0, iw = 0, amortised = 0;
    int count = 0;
    if (!model_and_data(r, &want->y, &model, &o, &data) || !run_open_out(r)) return FAILED;
    const vdi_vilds_desc *d = vdi_vilds_description(model.m);
    double bins = (double)vdi_vilds_data_total_bins(data);
    q.seed = r->seed;
    q.samples = want->query.samples;
    if (want->query.refine > 0 && !bounds(&model, &o, data, &q, &amortised, NULL)) return FAILED;
    q.refine = want->query.refine;
    q.iw = want->query.iw;
    if (!bounds(&model, &o, data, &q, &elbo, &iw)) return FAILED;
    keys[count] = "elbo_per_bin";
    values[count++] = elbo;
    if (q.refine > 0) {
        keys[count] = "amortised_elbo_per_bin";
        values[count++] = amortised;
    }
    if (q.iw > 0) {
        keys[count] = "iw_per_bin";
        values[count++] = iw;
    }
    keys[count] = "homogeneous_per_bin";
    if (!vilds_homogeneous(&model, &o, data, &values[count++])) return FAILED;
    bool lno = flds && (want->lno || (rates_out && !want->one_step));
    bool one_step = flds && want->one_step;
    if (lno || one_step) {
        const int64_t shape[3] = {o.trials, o.T, o.n};
        double *rates = doubles(o.trials * o.T * o.n), bits, mse;
        vdi_error err = {0};
        if (!vdi_vilds_obs_counts((int)d->obs)) {
            return fail("bits per spike need spikes: the model's observations are %s, in %s",
                        vdi_vilds_obs_name((int)d->obs), r->argument[0]);
        }
        q.refine = want->refine_predict;
        q.iw = 0;
        if (one_step) {
            if (!predict(&model, &o, data, VDI_VILDS_ONE_STEP, &q, rates, &bits, &mse))
                return FAILED;
            keys[count] = "one_step_bits_per_spike";
            values[count++] = bits;
            keys[count] = "one_step_mse";
            values[count++] = mse;
        }
        if (lno) {
            if (!predict(&model, &o, data, VDI_VILDS_LEAVE_ONE_OUT, &q, rates, &bits, &mse))
                return FAILED;
            keys[count] = "lno_bits_per_spike";
            values[count++] = bits;
            keys[count] = "lno_mse";
            values[count++] = mse;
        }
        vdi_tensor t = vdi_tensor_view(rates, VDI_F64, 3, shape);
        if (rates_out && !save_atomically(rates_out, npy_write, &t, &err))
            return fail_error(&err, rates_out);
        free(rates);
    }
    keys[count] = "trials";
    values[count++] = (double)o.trials;
    keys[count] = "bins";
    values[count++] = bins;
    print_results(r, keys, values, count);
    vdi_vilds_data_destroy(data);
    observations_free(&o);
    vilds_model_free(&model);
    return DONE;
}

/* ---- the commands ---------------------------------------------------------------------------- */

static int fit_main(run *r, void *options) {
    return vilds_fit_main(r, (vilds_fit_options *)options, false);
}

static int score_main(run *r, void *options) {
    return vilds_score_main(r, (const vilds_score_options *)options, false);
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
