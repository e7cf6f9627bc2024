/* examples/vdi/vilds.h - what the commands of vilds and flds share: the model's file, fitting,
 * pictures
 *
 * Both families are one model object; they differ in what they start from (flds: canonical
 * coordinates, scores of prediction).
 */
#ifndef TOOL_VILDS_H
#define TOOL_VILDS_H
#include "tool.h"

extern const command vilds_fit_command, vilds_infer_command, vilds_score_command, flds_fit_command,
    flds_infer_command, flds_score_command;

/* vilds_model.c: a model and its file. Messages are printed by what returns bool or an exit
 * code. */
typedef struct vilds_model {
    vdi_vilds *m;
    double *map; /* (d,d): to canonical coordinates, where the model itself could not be rewritten
                    in them; NULL: as they are */
} vilds_model;
/* from the options of fit: DONE, or an exit code */
int vilds_desc_read(run *r, const observations *o, vdi_vilds_desc *desc);
bool vilds_model_save(const vilds_model *model, const char *path, const char *family);
/* the file, or the folder of the run that wrote it */
bool vilds_model_load(run *r, const char *path, vilds_model *out);
void vilds_model_free(vilds_model *model);
/* with --[prefix]lengths, inputs, offset */
bool vilds_observations(const run *r, const char *path, const char *prefix, observations *o);
/* sets what lies behind a trial's end to NaN */
bool vilds_data_make(const vilds_model *model, observations *o, vdi_vilds_data **out);
/* per bin, with the training means */
double vilds_homogeneous(const vilds_model *model, const observations *o, double bins);
/* (n) of the training data */
const double *vilds_means(const vilds_model *model);
void vilds_map(const vilds_model *model, int64_t count, double *mean, double *cov, double *lagcov,
               int64_t pairs); /* to its coordinates */

/* vilds_recipe.c: what the schedule is where nobody has said */
int vilds_recipe_apply(run *r, observations *o, vdi_vilds_desc *desc); /* DONE, or an exit code */

/* vilds_fit.c, vilds.c: the verbs */
int vilds_fit_main(run *r, bool flds);
/* DONE, or an exit code */
int vilds_start_from_plds(run *r, const observations *o, vdi_vilds *m, vdi_vilds_data *data);
int vilds_infer_main(run *r);
int vilds_score_main(run *r, bool flds);

/* clang-format off */
#define VILDS_DATA_OPTIONS \
    {"lengths", TEXT, "LENGTHS.npy", NULL, "bins of each trial that count (trials,); default: all"}, \
    {"inputs", TEXT, "U.npy", NULL, "known inputs u (trials,T,inputs): z_t += B u_t"}, \
    {"offset", TEXT, "FILE", NULL, "added to the log rate (to the mean, if gaussian); broadcast to the shape of Y"}
#define VILDS_FIT_OPTIONS \
    {"d", INTEGER, "D", NULL, "latent dimension"}, \
    {"obs", TEXT, "NAME", "poisson", "observations: poisson, gc (generalised count), negbin, bernoulli or gaussian"}, \
    {"hidden", TEXT, "SIZES", "60,60", "hidden layers (tanh) of the read-out; none: a linear read-out"}, \
    {"link", TEXT, "exp|softplus", "exp", "from the read-out to the mean of poisson and negbin counts"}, \
    {"transition", TEXT, "SIZES", "none", "hidden layers of a network g: z_t = A z_{t-1} + g(z_{t-1}) + noise"}, \
    {"bin-width", REAL, "X", "1", "the read-out gives rates per unit of it"}, \
    {"posterior", TEXT, "NAME", "product", "family of q: product, direct or meanfield"}, \
    {"val", TEXT, "Y2", NULL, "observations to validate on: the parameters that are best there are kept"}, \
    {"val-lengths", TEXT, "FILE", NULL, "--lengths of --val"}, \
    {"val-inputs", TEXT, "FILE", NULL, "--inputs of --val"}, \
    {"val-offset", TEXT, "FILE", NULL, "--offset of --val"}, \
    VILDS_DATA_OPTIONS, \
    {"label", TEXT, "FILE", NULL, "colours latents.svg: (trials,T) or (trials,); default: time"}, \
    {"resume", TEXT, "RUN", NULL, "go on with an interrupted run; ends in the same bits"}, \
    {"save-every", REAL, "S", "10", "seconds between checkpoints"}, \
    {"recipe", TEXT, "NAME", "auto", "training: dense, smooth, sparse, plds or linear; auto chooses by the data"}, \
    {"em", INTEGER, "N", "100", "iterations of VB-EM for each of the four starts of the Poisson LDS that --recipe plds begins with"}, \
    {"steps", INTEGER, "N", NULL, "of the full schedule; default: the recipe's, as for those below"}, \
    {"restarts", INTEGER, "N", NULL, "starts, of which the best by training bound goes on"}, \
    {"restart-steps", INTEGER, "N", NULL, "steps of each start"}, \
    {"rate", REAL, "X", NULL, "Adam's rate, down a cosine to a hundredth"}, \
    {"batch", INTEGER, "N", NULL, "trials in a step (20)"}, \
    {"window", INTEGER, "BINS", NULL, "random windows of longer trials; 0: whole trials (chosen so that a step has at most about 8000 bins)"}, \
    {"samples", INTEGER, "N", NULL, "reparameterised samples in a step (1)"}, \
    {"weight-decay", REAL, "X", NULL, "on the sum of squares of the read-out's weights, in nats for the whole data set"}, \
    {"mask-rate", REAL, "P", NULL, "share of channels that training hides in most trials (0.25)"}, \
    {"open", REAL, "P", NULL, "fraction of the schedule from which the encoder sees neighbouring bins"}, \
    {"patience", INTEGER, "N", NULL, "validations without gain after which it stops (0: never)"}, \
    {"eval-every", INTEGER, "N", NULL, "steps between validations (50)"}, \
    {"free-start", TEXT, "yes|no", NULL, "learn the distribution of the first bin's latent, or keep it N(0, I)"}, \
    {"a0", REAL, "X", NULL, "the dynamics start as A = a0 I"}, \
    {"scale", REAL, "X", NULL, "on the initial first layer of the read-out"}, \
    {"reach", INTEGER, "BINS", "2", "bins that the encoder sees on either side"}, \
    {"encoder-hidden", TEXT, "SIZES", "60,60", "hidden layers of the encoder; none: linear"}, \
    {"skip", FLAG, NULL, NULL, "a linear read-out beside the network"}, \
    {"untied", FLAG, NULL, NULL, "a product posterior with dynamics of its own"}, \
    {"double", FLAG, NULL, NULL, "networks in float64"}
#define VILDS_INFER_OPTIONS(refine) \
    {"refine", INTEGER, "N", refine, "steps that refine each trial's posterior; some 8 for product, some 200 for other families"}, \
    {"samples", INTEGER, "S", "0", "samples of the latents to write"}, \
    {"label", TEXT, "FILE", NULL, "colours latents.svg: (trials,T) or (trials,); default: time"}, \
    VILDS_DATA_OPTIONS
#define VILDS_SCORE_OPTIONS \
    {"refine", INTEGER, "N", "0", "refine each trial's posterior first; then amortised_elbo_per_bin is the bound before"}, \
    {"iw", INTEGER, "K", "0", "also the importance-weighted bound with K samples"}, \
    {"samples", INTEGER, "S", "16", "samples of the bound, where it has no closed form"}, \
    VILDS_DATA_OPTIONS
/* clang-format on */

/* vilds_pictures.c: into the file `path`, or into the page if there is one */
enum { TRACE_STEP, TRACE_START, TRACE_BOUND, TRACE_VALIDATION, TRACE_RATE, TRACE_COLUMNS };
bool trace_picture(const char *path, vdi_page *page, const double *trace, int64_t rows,
                   vdi_error *err);
/* mean (trials,T,d), cov (trials,T,d,d); label (trials,T) or NULL: time; lengths (trials) or NULL:
 * T */
bool latents_picture(const char *path, vdi_page *page, int64_t trials, int64_t T, int64_t d,
                     const int64_t *lengths, const double *mean, const double *cov,
                     const double *label, vdi_error *err);
/* y and rate (T,n) of one trial; counts: draw y as a raster */
bool rates_picture(const char *path, vdi_page *page, int64_t T, int64_t n, const double *y,
                   const double *rate, bool counts, vdi_error *err);
/* (trials,T), (trials) or the first of (trials,T,k); NULL path: NULL */
bool label_load(const char *path, int64_t trials, int64_t T, double **label);

#endif
