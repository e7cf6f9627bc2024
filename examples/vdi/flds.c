/* examples/vdi/flds.c - vdi flds fit | infer | score: a population's rates from a low-dimensional
 * linear dynamical latent */
#include "vilds.h"

static int fit_main(run *r, void *options) {
    return vilds_fit_main(r, (vilds_fit_options *)options, true);
}

static int score_main(run *r, void *options) {
    return vilds_score_main(r, (const vilds_score_options *)options);
}

static const option fit_rows[] = {VILDS_FIT_OPTIONS};
const command flds_fit_command = {
    .family = "flds",
    .verb = "fit",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .out = true,
    .summary =
        "Learn an fLDS: z_t = A z_{t-1} + noise, y_tn ~ P(link(f_n(z_t))) with a network f; "
        "--hidden none gives the Poisson LDS. Y is (trials,T,N) or (T,N) of counts; NaN is a "
        "missing value. Writes model.safetensors (in canonical coordinates: stationary covariance "
        "I, axes by strength), trace.csv (bound of each step's batch, learning rate, bound on "
        "--val), trace.svg, latents.svg, rates.svg and a checkpoint. --recipe auto: below 0.15 "
        "spikes a neuron and bin sparse or plds, by the bound that each reaches on every fifth "
        "trial when trained without those; else dense or smooth, by whether a short run of the "
        "network is better than a Poisson LDS on the same data. run.json tells what was chosen.",
    .example = "vdi flds fit counts.npy -d 2 --out run",
    COMMAND_OPTIONS(fit_rows),
    .size = sizeof(vilds_fit_options),
    .main = fit_main,
};

static const option infer_rows[] = {VILDS_INFER_OPTIONS("8")};
const command flds_infer_command = {
    .family = "flds",
    .verb = "infer",
    .arguments = "MODEL Y",
    .least = 2,
    .most = 2,
    .out = true,
    .summary =
        "The posterior of the latents of each trial, in canonical coordinates. MODEL is a "
        "model.safetensors or the folder of a fit. Writes mean (trials,T,d), cov (trials,T,d,d), "
        "lagcov (trials,T-1,d,d) = Cov(z_{t+1}, z_t), rates (trials,T,N) = E of the mean of y, "
        "elbo (trials,) in nats and with --samples also samples (S,trials,T,d); each .npy, 0 "
        "behind a trial's end. Pictures: latents.svg, rates.svg.",
    .example = "vdi flds infer run counts.npy --label position.npy --out posterior",
    COMMAND_OPTIONS(infer_rows),
    .size = sizeof(vilds_infer_options),
    .main = vilds_infer_main,
};

static const option score_rows[] = {
    VILDS_SCORE_OPTIONS,
    OPTION("lno", NULL,
           VDI_FIELD_BOOL(vilds_score_options, lno,
                          "predict each neuron from the others: bits per spike against training "
                          "means, mean squared error")),
    OPTION("one-step", NULL,
           VDI_FIELD_BOOL(vilds_score_options, one_step, "predict each bin from those before it")),
    OPTION("refine-predict", "N",
           VDI_FIELD_INT(vilds_score_options, refine_predict, 0, 0, 1000000,
                         "refinement before these predictions, for each of them anew: slow")),
    OPTION_TEXT(vilds_score_options, rates_out, "rates-out", "FILE.npy", NULL,
                "the predicted rates (trials,T,N), from which the predicted count was left out: of "
                "--lno; of --one-step if that alone is given"),
};
const command flds_score_command = {
    .family = "flds",
    .verb = "score",
    .arguments = "MODEL Y",
    .least = 2,
    .most = 2,
    .summary =
        "The evidence lower bound of counts under a model, in nats per bin, all neurons summed, "
        "log y! included; beside it homogeneous_per_bin: constant rates with the means of the "
        "training data. With --lno and --one-step bits per spike against those same means; the "
        "probability of a count is integrated over the latent.",
    .example = "vdi flds score run test.npy --lno --one-step --refine 8 --json",
    COMMAND_OPTIONS(score_rows),
    .size = sizeof(vilds_score_options),
    .main = score_main,
};
