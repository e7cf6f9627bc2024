/* examples/vdi/lds_ahead.c - vdi lds forecast | sample: what comes after the data, and draws */
#include "lds.h"

/* Inputs of `T` bins of each trial from a file, or none; false with a message. */
static bool inputs_load(const char *path, int64_t trials, int64_t T, vdi_tensor *out) {
    char text[VDI_SHAPE_TEXT];
    memset(out, 0, sizeof *out);
    out->ndim = -1;
    if (!path) return true;
    if (!array_load(path, out)) return false;
    const bool one = out->ndim == 2 && trials == 1 && out->shape[0] == T;
    if (one || (out->ndim == 3 && out->shape[0] == trials && out->shape[1] == T)) return true;
    (void)fail("expected inputs (%lld,%lld,inputs), got %s, in %s", (long long)trials, (long long)T,
               vdi_tensor_shape_text(*out, text), path);
    return false;
}

static const double *numbers_of(const vdi_tensor *t) {
    return vdi_tensor_ok(*t) ? (const double *)t->data : NULL;
}

/* ---- forecast -------------------------------------------------------------------------------- */

typedef struct forecast_options {
    const char *params, *future;
    int64_t horizon;
    observation_options y;
} forecast_options;

typedef struct forecast {
    double *zm, *zc, *ym, *yc, *yv;
} forecast;

static bool forecast_save(const run *r, int64_t trials, int64_t H, int64_t d, int64_t n,
                          const forecast *f) {
    const int64_t z[4] = {trials, H, d, d}, y[4] = {trials, H, n, n};
    for (int64_t i = 0; i < trials * H * n; i++)
        f->yv[i] = f->yc[i / n * n * n + i % n * (n + 1)];
    return array_save(r, "zm", 3, z, f->zm) && array_save(r, "zc", 4, z, f->zc) &&
           array_save(r, "ym", 3, y, f->ym) && array_save(r, "yc", 4, y, f->yc) &&
           array_save(r, "yv", 3, y, f->yv);
}

static int forecast_main(run *r, void *options) {
    static const char *const keys[] = {"trials", "horizon"};
    const forecast_options *want = (const forecast_options *)options;
    observations o;
    vdi_tensor u;
    vdi_lds *lds;
    vdi_lds_data *data;
    vdi_error err = {0};
    if (!want->params) return usage("expected --params FOLDER with A C Q R b x0 Q0 .npy");
    if (!observations_load(r->argument[0], &want->y, &o) ||
        !lds_load(want->params, o.n, o.inputs, false, &lds) ||
        !lds_data_make(r, lds, &o, 0, &data) ||
        !inputs_load(want->future, o.trials, want->horizon, &u))
        return FAILED;
    if (vdi_tensor_ok(u) && u.shape[u.ndim - 1] != o.inputs) {
        return fail("expected %lld inputs of each bin, as in --inputs, got %lld, in %s",
                    (long long)o.inputs, (long long)u.shape[u.ndim - 1], want->future);
    }
    const int64_t d = lds->desc.d, bins = o.trials * want->horizon;
    forecast f = {doubles(bins * d), doubles(bins * d * d), doubles(bins * o.n),
                  doubles(bins * o.n * o.n), doubles(bins * o.n)};
    bool ok = vdi_lds_forecast(lds, data, want->horizon, numbers_of(&u), f.zm, f.zc, f.ym, f.yc,
                               &err) >= 0;
    if (!ok) (void)fail_error(&err, r->argument[0]);
    ok = ok && run_open_out(r) && forecast_save(r, o.trials, want->horizon, d, o.n, &f);
    const double values[] = {(double)o.trials, (double)want->horizon};
    if (ok) print_results(r, keys, values, 2);
    double *own[] = {f.zm, f.zc, f.ym, f.yc, f.yv};
    for (int i = 0; i < (int)VDI__COUNT(own); i++)
        free(own[i]);
    if (vdi_tensor_ok(u)) vdi_tensor_free(NULL, &u);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
    observations_free(&o);
    return ok ? DONE : FAILED;
}

static const option forecast_rows[] = {
    LDS_PARAMS_OPTION(forecast_options),
    OPTION("horizon", "H",
           VDI_FIELD_INT(forecast_options, horizon, 10, 1, 100000000, "bins ahead")),
    OPTION_TEXT(forecast_options, future, "future-inputs", "U.npy", NULL,
                "inputs of the bins ahead (trials,H,inputs); 0 without it"),
    OBSERVATION_OPTIONS(forecast_options, y, ""),
};
const command lds_forecast_command = {
    .family = "lds",
    .verb = "forecast",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .out = true,
    .summary = "What comes after each trial's last bin. Writes zm zc, mean (trials,H,d) and "
               "covariance (trials,H,d,d) of the latents, and ym yc yv, mean (trials,H,N), "
               "covariance (trials,H,N,N) and variances (trials,H,N) of the observations; each "
               ".npy.",
    .example = "vdi lds forecast y.npy --params run --horizon 20 --out ahead",
    COMMAND_OPTIONS(forecast_rows),
    .size = sizeof(forecast_options),
    .main = forecast_main,
};

/* ---- sample ---------------------------------------------------------------------------------- */

typedef struct sample_options {
    const char *params;
    int64_t samples, trials, bins;
    observation_options y;
} sample_options;

/* Given Y: latents of the posterior. */
static int sample_posterior(run *r, const sample_options *want) {
    observations o;
    vdi_lds *lds;
    vdi_lds_data *data;
    vdi_error err = {0};
    if (!observations_load(r->argument[0], &want->y, &o) ||
        !lds_load(want->params, o.n, o.inputs, false, &lds) || !lds_data_make(r, lds, &o, 0, &data))
        return FAILED;
    const int64_t shape[4] = {want->samples, o.trials, o.T, lds->desc.d};
    double *z = doubles(shape[0] * shape[1] * shape[2] * shape[3]);
    bool ok = vdi_lds_sample(lds, data, want->samples, r->seed, z, &err) >= 0;
    if (!ok) (void)fail_error(&err, r->argument[0]);
    ok = ok && run_open_out(r) && array_save(r, "z", 4, shape, z);
    free(z);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
    observations_free(&o);
    return ok ? DONE : FAILED;
}

/* Without: data of the model. */
static int sample_model(run *r, const sample_options *want) {
    vdi_tensor u;
    vdi_lds *lds;
    vdi_error err = {0};
    if (!inputs_load(want->y.inputs, want->trials, want->bins, &u)) return FAILED;
    const int64_t inputs = vdi_tensor_ok(u) ? u.shape[u.ndim - 1] : 0;
    if (!lds_load(want->params, 0, inputs, false, &lds)) return FAILED;
    const int64_t rows = want->trials * want->bins, d = lds->desc.d, n = lds->desc.n;
    const int64_t zs[3] = {want->trials, want->bins, d}, ys[3] = {want->trials, want->bins, n};
    double *z = doubles(rows * d), *y = doubles(rows * n);
    double *work = doubles((int64_t)vdi_lds_simulate_work(lds));
    bool ok = vdi_lds_simulate(lds, r->seed, want->trials, want->bins, numbers_of(&u), work, z, y,
                               &err) >= 0;
    if (!ok) (void)fail_error(&err, want->params);
    ok = ok && run_open_out(r) && array_save(r, "z", 3, zs, z) && array_save(r, "y", 3, ys, y);
    free(z);
    free(y);
    free(work);
    if (vdi_tensor_ok(u)) vdi_tensor_free(NULL, &u);
    vdi_lds_destroy(lds);
    return ok ? DONE : FAILED;
}

static int sample_main(run *r, void *options) {
    static const char *const keys[] = {"samples"};
    const sample_options *want = (const sample_options *)options;
    if (!want->params) return usage("expected --params FOLDER with A C Q R b x0 Q0 .npy");
    const bool given = r->arguments > 0;
    const int code = given ? sample_posterior(r, want) : sample_model(r, want);
    const double values[] = {(double)(given ? want->samples : want->trials)};
    if (code == DONE) print_results(r, keys, values, 1);
    return code;
}

static const option sample_rows[] = {
    LDS_PARAMS_OPTION(sample_options),
    OPTION("samples", "S",
           VDI_FIELD_INT(sample_options, samples, 10, 1, 100000000, "given Y: so many")),
    OPTION("trials", "N",
           VDI_FIELD_INT(sample_options, trials, 1, 1, 100000000, "without Y: so many")),
    OPTION("bins", "T",
           VDI_FIELD_INT(sample_options, bins, 100, 1, 100000000, "without Y: of each trial")),
    OBSERVATION_OPTIONS(sample_options, y, ""),
};
const command lds_sample_command = {
    .family = "lds",
    .verb = "sample",
    .arguments = "[Y]",
    .least = 0,
    .most = 1,
    .out = true,
    .summary = "Draw. Given Y: latents from their posterior, z.npy (samples,trials,T,d). Without: "
               "data of the model, z.npy (trials,T,d) and y.npy (trials,T,N).",
    .example = "vdi lds sample --params run --trials 20 --bins 500 --out drawn",
    COMMAND_OPTIONS(sample_rows),
    .size = sizeof(sample_options),
    .main = sample_main,
};
