/* examples/vdi/flds.c - vdi flds fit | infer | score: a population's rates from a low-dimensional
 * linear dynamical latent */
#include "vilds.h"

static int fit_main(run *r) { return vilds_fit_main(r, true); }
static int score_main(run *r) { return vilds_score_main(r, true); }

static const option fit_options[] = {VILDS_FIT_OPTIONS};
const command flds_fit_command = {
    "flds",
    "fit",
    "Y",
    0,
    1,
    "Learn an fLDS: z_t = A z_{t-1} + noise, y_tn ~ P(link(f_n(z_t))) with a network f; --hidden "
    "none gives the Poisson LDS. Y is\n"
    "(trials,T,N) or (T,N) of counts; NaN is a missing value. Writes model.safetensors (in "
    "canonical coordinates: stationary\n"
    "covariance I, axes by strength), trace.csv (bound of each step's batch, learning rate, bound "
    "on --val), trace.svg, latents.svg,\n"
    "rates.svg and a checkpoint.\n"
    "--recipe auto: below 0.15 spikes a neuron and bin sparse or plds, by the bound that each "
    "reaches on every fifth trial when trained\n"
    "without those; else dense or smooth, by whether a short run of the network is better than a "
    "Poisson LDS on the same data. run.json\n"
    "tells what was chosen.",
    "vdi flds fit counts.npy -d 2 --out run",
    fit_options,
    (int)(sizeof fit_options / sizeof *fit_options),
    fit_main};

static const option infer_options[] = {VILDS_INFER_OPTIONS("8")};
const command flds_infer_command = {
    "flds",
    "infer",
    "MODEL Y",
    2,
    2,
    "The posterior of the latents of each trial, in canonical coordinates. MODEL is a "
    "model.safetensors or the folder of a fit. Writes\n"
    "mean (trials,T,d), cov (trials,T,d,d), lagcov (trials,T-1,d,d) = Cov(z_{t+1}, z_t), rates "
    "(trials,T,N) = E of the mean of y, elbo\n"
    "(trials,) in nats and with --samples also samples (S,trials,T,d); each .npy, 0 behind a "
    "trial's end. Pictures: latents.svg, "
    "rates.svg.",
    "vdi flds infer run counts.npy --label position.npy --out posterior",
    infer_options,
    (int)(sizeof infer_options / sizeof *infer_options),
    vilds_infer_main};

static const option score_options[] = {
    VILDS_SCORE_OPTIONS,
    {"lno", FLAG, NULL, NULL,
     "predict each neuron from the others: bits per spike against training means, mean squared "
     "error"},
    {"one-step", FLAG, NULL, NULL, "predict each bin from those before it"},
    {"refine-predict", INTEGER, "N", "0",
     "refinement before these predictions, for each of them anew: slow"},
    {"rates-out", TEXT, "FILE.npy", NULL,
     "the predicted rates (trials,T,N), from which the predicted count was left out: of --lno; of "
     "--one-step if that alone is given"},
};
const command flds_score_command = {
    "flds",
    "score",
    "MODEL Y",
    2,
    2,
    "The evidence lower bound of counts under a model, in nats per bin, all neurons summed, log y! "
    "included; beside it "
    "homogeneous_per_bin:\n"
    "constant rates with the means of the training data. With --lno and --one-step bits per spike "
    "against those same means; the\n"
    "probability of a count is integrated over the latent.",
    "vdi flds score run test.npy --lno --one-step --refine 8 --json",
    score_options,
    (int)(sizeof score_options / sizeof *score_options),
    score_main};
