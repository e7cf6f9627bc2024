/* examples/vdi/vilds.h - what the commands of vilds and flds share: the model's file, fitting,
 * pictures
 *
 * Both families are one model object; they differ in what they start from (flds: canonical
 * coordinates, scores of prediction).
 */
#ifndef TOOL_VILDS_H
#define TOOL_VILDS_H
#include "tool.h"

/* ---- options --------------------------------------------------------------------------------- */

typedef struct vilds_fit_options {
    vdi_vilds_desc model; /* as given; once a recipe is chosen, as it came to */
    observation_options y, val_y;
    const char *val, *label, *resume;
    int32_t recipe; /* 0: by the data; else 1 + vdi_flds_kind */
    enum { START_AUTO, START_FREE, START_FIXED } free_start;
    bool doubles;
    int64_t em;
    double save_every;
} vilds_fit_options;
typedef struct vilds_infer_options {
    observation_options y;
    const char *label, *decode;
    vdi_vilds_query query; /* its refinement */
    int64_t samples;
} vilds_infer_options;
typedef struct vilds_score_options {
    observation_options y;
    vdi_vilds_query query;
    int64_t refine_predict, particles;
    bool lno, one_step;
    const char *rates_out;
} vilds_score_options;

/* vilds_model.c: a model and its file. Messages are printed by what returns bool or an exit
 * code. */
typedef struct vilds_model {
    vdi_vilds *m;
    double *map; /* (d,d): to canonical coordinates, where the model itself could not be rewritten
                    in them; NULL: as they are */
} vilds_model;
/* what the options of fit give, for these data: DONE, or an exit code */
int vilds_desc_read(const run *r, const vilds_fit_options *want, const observations *o,
                    vdi_vilds_desc *desc);
bool vilds_model_save(const run *r, const vilds_model *model, const char *family);
/* the file, or the folder of the run that wrote it */
bool vilds_model_load(run *r, const char *path, vilds_model *out);
void vilds_model_free(vilds_model *model);
/* mean, cov, rate and elbo of all trials, in memory for vilds_posterior_free; false with a message
 */
bool vilds_posterior(vilds_model *model, const observations *o, vdi_vilds_data *data,
                     vdi_vilds_result *out);
void vilds_posterior_free(vdi_vilds_result *out);
/* once, after the first step of training: what memory a fit takes. A large one is inferred from
 * now, as it will be at the end, so that a lack of memory shows before hours of training. */
bool vilds_memory_tell(run *r, vilds_model *model, const observations *o, vdi_vilds_data *data);
/* sets what lies behind a trial's end to NaN */
bool vilds_data_make(const vilds_model *model, observations *o, vdi_vilds_data **out);
/* (trials,T,n) log probabilities under the constant model, 0 where missing; NULL: told */
double *vilds_constant(const vilds_model *model, const observations *o, const vdi_vilds_data *data);
/* their sum per bin */
bool vilds_homogeneous(const vilds_model *model, const observations *o, const vdi_vilds_data *data,
                       double *per_bin);
void vilds_map(const vilds_model *model, int64_t count, double *mean, double *cov, double *lagcov,
               int64_t pairs); /* to its coordinates */

/* vilds_recipe.c: what the schedule is where nobody has said */
/* DONE, or an exit code; what was chosen stands in `want` and in *desc */
int vilds_recipe_apply(run *r, vilds_fit_options *want, observations *o, vdi_vilds_desc *desc);

/* vilds_fit.c, vilds.c: the verbs */
int vilds_fit_main(run *r, vilds_fit_options *want, bool flds);
/* DONE, or an exit code */
int vilds_start_from_plds(run *r, int64_t iterations, const observations *o, vdi_vilds *m,
                          vdi_vilds_data *data);
int vilds_infer_main(run *r, void *options);
int vilds_score_main(run *r, const vilds_score_options *want);
/* Predictive probabilities against the constant model; the predicted rates into `rates`
 * (trials,T,n). */
bool vilds_predict(const vilds_model *model, const observations *o, vdi_vilds_data *data,
                   vdi_vilds_prediction what, const vdi_vilds_query *q, double *rates, double *bits,
                   double *mse);

/* clang-format off */
#define VILDS_MODEL(name, value, member) \
    OPTION_OF(name, value, NULL, vilds_fit_options, model, vdi_vilds_desc_fields, member)
#define VILDS_TRAIN(name, value, member) \
    OPTION_OF(name, value, "auto", vilds_fit_options, model, vdi_vilds_desc_fields, member)
#define VILDS_FIT_OPTIONS \
    OPTION_GROUP("the model"), \
    {.name = "d", .also = "dim", .value = "D", .table = vdi_vilds_desc_fields, .member = "d", .offset = offsetof(vilds_fit_options, model)}, \
    VILDS_MODEL("obs", "NAME", "obs"), \
    VILDS_MODEL("hidden", "SIZES", "hidden"), \
    VILDS_MODEL("link", "NAME", "link"), \
    VILDS_MODEL("transition", "SIZES", "transition_hidden"), \
    VILDS_MODEL("bin-width", "X", "bin_width"), \
    VILDS_MODEL("posterior", "NAME", "posterior"), \
    VILDS_MODEL("reach", "BINS", "reach"), \
    VILDS_MODEL("encoder-hidden", "SIZES", "encoder_hidden"), \
    VILDS_MODEL("skip", NULL, "skip"), \
    VILDS_MODEL("untied", NULL, "untied"), \
    OPTION("double", NULL, VDI_FIELD_BOOL(vilds_fit_options, doubles, "networks in float64")), \
    OPTION_GROUP("the data"), \
    OBSERVATION_OPTIONS(vilds_fit_options, y, ""), \
    OFFSET_OPTION(vilds_fit_options, y, ""), \
    OPTION_TEXT(vilds_fit_options, val, "val", "Y2", NULL, "observations to validate on: the parameters that are best there are kept"), \
    OBSERVATION_OPTIONS(vilds_fit_options, val_y, "val-"), \
    OFFSET_OPTION(vilds_fit_options, val_y, "val-"), \
    OPTION_TEXT(vilds_fit_options, label, "label", "FILE", NULL, "colours latents.svg: (trials,T) or (trials,), a few whole numbers are conditions; time without it"), \
    OPTION_GROUP("the run"), \
    OPTION_TEXT(vilds_fit_options, resume, "resume", "RUN", NULL, "go on with an interrupted run; ends in the same bits"), \
    OPTION("save-every", "S", VDI_FIELD_REAL(vilds_fit_options, save_every, 10, 0, 1e6, "seconds between checkpoints")), \
    OPTION_GROUP("training, where auto is the recipe's"), \
    {.name = "recipe", .value = "NAME", .table = vilds_recipe_fields, .member = "recipe"}, \
    OPTION("em", "N", VDI_FIELD_INT(vilds_fit_options, em, 100, 0, 1000000, "iterations of VB-EM for each of the four starts of the Poisson LDS that --recipe plds begins with")), \
    VILDS_TRAIN("steps", "N", "train.steps"), \
    VILDS_TRAIN("encoder-steps", "N", "train.encoder_steps"), \
    VILDS_TRAIN("restarts", "N", "train.restarts"), \
    VILDS_TRAIN("restart-steps", "N", "train.restart_steps"), \
    VILDS_TRAIN("rate", "X", "train.rate"), \
    VILDS_TRAIN("batch", "N", "train.batch"), \
    VILDS_TRAIN("window", "BINS", "train.window"), \
    VILDS_TRAIN("samples", "N", "train.samples"), \
    VILDS_TRAIN("weight-decay", "X", "train.weight_decay"), \
    VILDS_TRAIN("mask-rate", "P", "train.mask_rate"), \
    VILDS_TRAIN("open", "P", "train.open_from"), \
    VILDS_TRAIN("patience", "N", "train.patience"), \
    VILDS_TRAIN("eval-every", "N", "train.eval_every"), \
    OPTION("free-start", "yes|no", VDI_FIELD_ENUM(vilds_fit_options, free_start, vilds_start_words, "learn the distribution of the first bin's latent, or keep it N(0, I)")), \
    VILDS_TRAIN("a0", "X", "a0"), \
    VILDS_TRAIN("scale", "X", "first_scale")
#define VILDS_INFER_OPTIONS(refine_) \
    {.name = "refine", .value = "N", .initial = refine_, .table = vdi_vilds_query_fields, .member = "refine", .offset = offsetof(vilds_infer_options, query), .help = "steps that refine each trial's posterior; some 8 for product, some 20 for other families"}, \
    OPTION("samples", "S", VDI_FIELD_INT(vilds_infer_options, samples, 0, 0, 1000000, "samples of the latents to write")), \
    DECODE_OPTION(vilds_infer_options), \
    OPTION_TEXT(vilds_infer_options, label, "label", "FILE", NULL, "colours latents.svg: (trials,T) or (trials,); time without it"), \
    OBSERVATION_OPTIONS(vilds_infer_options, y, ""), \
    OFFSET_OPTION(vilds_infer_options, y, "")
#define VILDS_QUERY(name, value, member) \
    OPTION_OF(name, value, NULL, vilds_score_options, query, vdi_vilds_query_fields, member)
#define VILDS_SCORE_OPTIONS \
    VILDS_QUERY("refine", "N", "refine"), \
    VILDS_QUERY("iw", "K", "iw"), \
    VILDS_QUERY("samples", "S", "samples"), \
    OPTION("particles", "K", VDI_FIELD_INT(vilds_score_options, particles, 0, 0, 10000000, "particles of each of four filters, guided by the posterior, that estimate log p(y); 0: none")), \
    OBSERVATION_OPTIONS(vilds_score_options, y, ""), \
    OFFSET_OPTION(vilds_score_options, y, "")
/* its one row has the library's recipes as words, behind auto */
const vdi_fields *vilds_recipe_fields(void);
extern const char *const vilds_start_words[];
/* clang-format on */

/* vilds_pictures.c: into the file `path`, or into the page if there is one */
enum { TRACE_STEP, TRACE_START, TRACE_BOUND, TRACE_VALIDATION, TRACE_RATE, TRACE_COLUMNS };
bool trace_picture(const char *path, vdi_page *page, const double *trace, int64_t rows,
                   vdi_error *err);
/* Latents as they are drawn. */
typedef struct latents_view {
    int64_t trials, T, d;
    const int64_t *lengths; /* (trials), or NULL: T */
    const double *mean;     /* (trials,T,d) */
    const double *cov;      /* (trials,T,d,d) */
    const double *label;    /* (trials,T), or NULL: time. A few whole numbers, one for each trial,
                               are conditions, which get a colour and a mean each */
    double bin;             /* seconds of a bin; 0: time is told in bins */
} latents_view;
bool latents_picture(const char *path, vdi_page *page, const latents_view *v, vdi_error *err);
/* --bin-width, or 0 where nobody has said it */
double vilds_bin_seconds(const vdi_vilds_desc *d);
/* y and rate (T,n) of one trial; counts: draw y as a raster; bin as above */
bool rates_picture(const char *path, vdi_page *page, int64_t T, int64_t n, const double *y,
                   const double *rate, bool counts, double bin, vdi_error *err);
/* (trials,T) out of that or (trials); NULL path: NULL */
bool label_load(const char *path, int64_t trials, int64_t T, double **label);

#endif
