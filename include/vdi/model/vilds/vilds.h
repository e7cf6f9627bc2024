/* model/vilds/vilds.h - variational inference for latent time series: a structured Gaussian
 * posterior given by a network
 *
 *     z_1 ~ N(x0, Q0),   z_t = A z_{t-1} + B u_t [+ g(z_{t-1})] + N(0, Q),
 *     y_t ~ P(decoder(z_t)),   or any log p(y, z) of your own
 *     q(z | y) = N(m, J^{-1}),  J block tridiagonal, from a network of the bins around t
 *
 * Do this:
 *     vdi_vilds_desc desc = VDI__ZERO;
 *     desc.d = 2;   Poisson counts, two hidden layers of 60, product posterior
 *     desc.n = 40;
 *     vdi_vilds *model;
 *     vdi_vilds_create(&desc, &model, &err);
 *     vdi_vilds_data_desc dd = VDI__ZERO;
 *     dd.y = vdi_tensor_3d(counts, VDI_U8, trials, T, 40);   a missing value is NaN
 *     vdi_vilds_data *data;
 *     vdi_vilds_data_create(model, &dd, &data, &err);
 *     vdi_vilds_fit(model, data, NULL, NULL, NULL, &err);    restarts and the full schedule
 *     double elbo;
 *     vdi_vilds_score(model, data, NULL, &elbo, &err);       nats per bin, log y! included
 *
 * Trials may be ragged (`lengths`), any value may be missing; batches of such trials run as one.
 * The encoder sees which values are missing and is trained with neurons left out at random, so that
 * leave-one-out prediction needs no training of its own. Networks run in desc.dtype, the algebra
 * over time always in float64. The equations: docs/guide/vilds.md.
 * Memory: create and data_create allocate; the first step and the first call of each kind grow the
 * tape, later ones of the same shape allocate nothing. Errors: statuses; a step that would leave
 * the finite numbers is undone and shortened. Threads: one model per thread.
 * What it does NOT do: second-order optimisation of the networks, inputs that are missing.
 */
#ifndef VDI_MODEL_VILDS_VILDS_H
#define VDI_MODEL_VILDS_VILDS_H
#include "../../core/log.h"
#include "../../grad/blocktri_ops.h"
#include "../../grad/dist.h"
#include "../../grad/layers.h"
#include "../../grad/optim.h"

/** Most hidden layers of encoder and decoder. */
#define VDI_VILDS_LAYERS 6

/** P(y | z) of one neuron and bin; eta is the decoder's output plus the log exposure (log bin
 * width + offset, see the data). */
typedef enum vdi_vilds_obs {
    VDI_VILDS_POISSON = 0, /**< mean link(eta) */
    VDI_VILDS_GAUSSIAN,    /**< mean eta, its own standard deviation for each channel */
    VDI_VILDS_COUNT,       /**< generalised count (Gao et al. 2015): p(k) ~ exp(eta k + g(k)) / k!,
                                g(0) = g(1) = 0, one g a neuron */
    VDI_VILDS_NEGBIN,      /**< negative binomial: mean link(eta), variance mean + mean^2 / r, one r
                                a neuron */
    VDI_VILDS_BERNOULLI    /**< probability sigmoid(eta) */
} vdi_vilds_obs;
/** From the decoder's output to the mean of Poisson and negative binomial counts. */
typedef enum vdi_vilds_link {
    VDI_VILDS_EXP = 0, /**< exp(eta); beyond eta = 8 Poisson rates go on along the tangent, negative
                            binomial ones stay */
    VDI_VILDS_SOFTPLUS /**< (softplus(decoder) + 1e-6) times the exposure */
} vdi_vilds_link;
/** The family of q. */
typedef enum vdi_vilds_family {
    VDI_VILDS_PRODUCT = 0, /**< the linear dynamical prior times one Gaussian factor a bin:
                                exp(h_t'z_t - z_t'R_t R_t'z_t/2) */
    VDI_VILDS_DIRECT,      /**< mean from the network, precision F F' from the blocks a_t (lower
                                triangular) and b_t of a bidiagonal F */
    VDI_VILDS_MEANFIELD    /**< independent Gaussians over time */
} vdi_vilds_family;

/** What a log joint is told about the trials of a batch. */
typedef struct vdi_trial_info {
    int64_t samples, trials, T; /**< S, B and the longest length */
    const int64_t *length;      /**< (B) bins of each that count */
    const bool *start;          /**< (B) does it begin where its trial begins, or in the middle? */
    const int64_t *trial;       /**< (B) index in the data */
    const double *inputs;       /**< (B,T,desc.inputs), 0 behind a trial's end; NULL: none */
    const vdi_param *params;    /**< the user's own parameters, in the order of desc.user_params */
} vdi_trial_info;
/** z (S,B,T,d) float64 samples of the latents, y (B,T,N) with mask (B,T,N), both of the model's
 * dtype; returns (S,B) float64: log p(y,z)
 *  for each sample and trial, in nats. */
typedef vdi_var (*vdi_log_joint_fn)(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask,
                                    const vdi_trial_info *info, void *user);

/** How a model is trained. Zero is the default of each field. */
typedef struct vdi_vilds_train {
    int64_t steps;                 /**< of the full schedule; default 1500 */
    int64_t batch;                 /**< trials in a step; default 20 */
    int64_t window;                /**< bins of a random window of a longer trial; 0: whole
                                        trials */
    int64_t samples;               /**< reparameterised samples in a step; default 1 */
    double rate, last_rate;        /**< Adam's rate, down a cosine; default 1e-2 to 1e-4 */
    int64_t warmup;                /**< steps of a linear rise; default 20 */
    double clip_norm;              /**< default 10 */
    int64_t restarts;              /**< starts of which the best by training ELBO goes on; default 1
                                        (the first) */
    int64_t restart_steps;         /**< steps of each; default 250 */
    double open_from, open_to;     /**< fractions of the schedule between which the encoder's window
                                        opens; default 0.3, 0.4 */
    double mask_trials, mask_rate; /**< share of trials with neurons left out, and of neurons left
                                        out there; default 0.8, 0.25 */
    bool no_masking;               /**< leave none out */
    bool frozen_dynamics;          /**< keep A, B, Q (and Q0, x0) as they are */
    bool sampled_kl;
    /**< where z is sampled, E log p(z) from the samples too instead of in closed form: a shorter
         step, with more noise in its gradient; the entropy of q stays exact, and so do scores */
    double weight_decay; /**< sum of squares of the decoder's weights, in nats for the whole data
                              set; default 0 */
    int64_t eval_every;  /**< steps between validations; default 50 */
    int64_t patience;    /**< validations without gain after which it stops; 0: never */
    uint64_t seed;       /**< of everything random */
} vdi_vilds_train;

/** Description of a model; zero is the default where one is named. */
typedef struct vdi_vilds_desc {
    int64_t d;                                /**< latent dimension, >= 1 */
    int64_t n;                                /**< observed channels, >= 1 */
    int64_t inputs;                           /**< entries of u_t; 0: none */
    vdi_vilds_obs obs;                        /**< ready observation part */
    vdi_vilds_link link;                      /**< of counts */
    vdi_vilds_family posterior;               /**< family of q */
    bool untied;                              /**< a product posterior with dynamics of its own */
    bool linear;                              /**< decoder without hidden layers */
    bool skip;                                /**< a linear read-out beside the decoder's network */
    int32_t layers;                           /**< hidden layers of the decoder; 0: two of 60,
                                                   tanh */
    int64_t hidden[VDI_VILDS_LAYERS];         /**< their sizes */
    double first_scale;                       /**< on the initial first layer of the decoder;
                                                   default 1 */
    bool encoder_linear;                      /**< encoder without hidden layers */
    int32_t encoder_layers;                   /**< 0: two of 60, tanh */
    int64_t encoder_hidden[VDI_VILDS_LAYERS]; /**< their sizes */
    bool has_reach;                           /**< take `reach` as it stands */
    int64_t reach;                            /**< bins that the encoder sees on either side;
                                                   default 2 */
    bool free_start;                          /**< Q0 and x0 are trained; else N(0, I) */
    double a0;                                /**< A starts as a0 I, Q as (1 - a0^2) I; default
                                                   0.99 */
    int32_t transition_layers; /**< hidden layers (tanh) of a network g of the last latent, added to
                                    A z_{t-1}; 0: no such network */
    int64_t transition_hidden[VDI_VILDS_LAYERS]; /**< their sizes */
    double bin_width;                            /**< counts: the decoder gives the log of a rate
                                                      per unit of it; default 1 */
    vdi_log_joint_fn log_joint;                  /**< your own log p(y, z), or NULL for the ready
                                                      parts */
    void *user;                                  /**< handed to it */
    const vdi_param_desc *user_params;           /**< its parameters; copied */
    int64_t user_param_count;                    /**< how many */
    int64_t max_count;                           /**< largest count that VDI_VILDS_COUNT has a free
                                                      g for; default 12 */
    vdi_dtype dtype;                             /**< of the networks; VDI_F32 to train, VDI_F64 to
                                                      check */
    vdi_vilds_train train;                       /**< how it learns */
    vdi_pool *pool;                              /**< for the algebra over time; NULL: the caller's
                                                      thread */
    vdi_allocator allocator;                     /**< zero: malloc and free */
    vdi_logger logger;                           /**< zero: silent */
} vdi_vilds_desc;

/** A model: opaque. */
typedef struct vdi_vilds vdi_vilds;
/** Observations in the form that a model works with: opaque. */
typedef struct vdi_vilds_data vdi_vilds_data;

/** Observations. */
typedef struct vdi_vilds_data_desc {
    vdi_tensor y;           /**< (trials,T,n) or (T,n), any dtype; NaN is missing */
    vdi_tensor mask;        /**< the same shape, 0 is missing; all zero (the default): nothing but
                                 NaN */
    bool has_mask;          /**< `mask` is given */
    vdi_tensor u;           /**< (trials,T,inputs): u_t acts on the step from t-1 to t; where the
                                 model has inputs */
    vdi_tensor offset;      /**< what is added to the decoder's output (a log exposure, for counts),
                                 finite, broadcast to the shape of y */
    bool has_offset;        /**< `offset` is given */
    const int64_t *lengths; /**< (trials); NULL: T */
} vdi_vilds_data_desc;

/** The description with defaults filled in. */
VDI_API vdi_vilds_desc vdi_vilds_desc_defaults(const vdi_vilds_desc *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_vilds_desc_check(const vdi_vilds_desc *desc, vdi_error *err);
/** Make a model. Its parameters are drawn by vdi_vilds_init, which vdi_vilds_fit calls if nobody
 * has. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_create(const vdi_vilds_desc *desc, vdi_vilds **out,
                                                  vdi_error *err);
/** Give everything back; NULL is ignored. */
VDI_API void vdi_vilds_destroy(vdi_vilds *m);
/** The description in force. */
VDI_API const vdi_vilds_desc *vdi_vilds_description(const vdi_vilds *m);
/** The parameters, for those who set or freeze some: "prior.A" (d,d), "prior.Q", "prior.Q0" (d,d)
 * (see docs/guide/vilds.md), "prior.B" (inputs,d), "transition...", "decoder...". */
VDI_API vdi_params *vdi_vilds_params(vdi_vilds *m);
/** Take in observations; the tensors are copied. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_data_create(const vdi_vilds *m,
                                                       const vdi_vilds_data_desc *desc,
                                                       vdi_vilds_data **out, vdi_error *err);
/** Give everything back; NULL is ignored. */
VDI_API void vdi_vilds_data_destroy(vdi_vilds_data *data);
VDI_API int64_t vdi_vilds_data_trials(const vdi_vilds_data *data);
VDI_API int64_t vdi_vilds_data_bins(const vdi_vilds_data *data);
/** Bins that count, summed over trials. */
VDI_API int64_t vdi_vilds_data_total_bins(const vdi_vilds_data *data);
/** Bins of trial i that count. */
VDI_API int64_t vdi_vilds_data_length(const vdi_vilds_data *data, int64_t trial);

/** Draw the parameters from (train.seed, start), and take the channels' means and deviations from
 * `data`. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_init(vdi_vilds *m, vdi_vilds_data *data, uint64_t start,
                                                vdi_error *err);
/** Q and Q0 as covariances into the parameters "prior.Q", "prior.Q0"; and out of them. cov (d,d)
 * float64. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_set_covariance(vdi_vilds *m, const char *name,
                                                          const double *cov, vdi_error *err);
VDI_API VDI_NODISCARD vdi_status vdi_vilds_get_covariance(const vdi_vilds *m, const char *name,
                                                          double *cov, vdi_error *err);

/** What a progress callback sees. */
typedef struct vdi_vilds_progress {
    int64_t step, steps;   /**< done, and in all (restarts included) */
    int64_t start, starts; /**< which restart; start == starts in the full schedule */
    double elbo;           /**< of the last step, nats per bin; noisy */
    double validation;     /**< the last one; NaN before the first */
    double rate;           /**< learning rate */
    int64_t undone;        /**< steps undone so far */
} vdi_vilds_progress;
/** Return false to stop: vdi_vilds_fit then returns VDI_STOPPED, and goes on when it is called
 * again. */
typedef bool (*vdi_vilds_progress_fn)(const vdi_vilds_progress *p, void *user);

/** One step of the schedule, restarts included; VDI_END when it is over (then the best parameters
 * stand). `p` may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_step(vdi_vilds *m, vdi_vilds_data *data,
                                                vdi_vilds_data *validation, vdi_vilds_progress *p,
                                                vdi_error *err);
/** All steps that are left. With `validation` (may be NULL) the parameters that were best there are
 * kept. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_fit(vdi_vilds *m, vdi_vilds_data *data,
                                               vdi_vilds_data *validation, vdi_vilds_progress_fn fn,
                                               void *user, vdi_error *err);
/** The loss of one step of the full schedule (minus the bound per bin, a number) and its gradient
 * in the parameters' `grad`; nothing is
 *  changed besides: for checks, and for training loops of your own. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_loss(vdi_vilds *m, vdi_vilds_data *data, int64_t step,
                                                double *loss, vdi_error *err);
/** Begin the schedule again from the parameters as they are, without restarts: after a start of
 * your own. */
VDI_API void vdi_vilds_resume_from_here(vdi_vilds *m);
/** Parameters and statistics by name, live: write them, or let a loader fill them. With `training`
 * also the optimiser's memory and the
 *  counters, with which a run goes on to the bit. */
VDI_API const vdi_state *vdi_vilds_state(vdi_vilds *m, bool training);

/** How vdi_vilds_infer, score and predict run. Zero is the default. */
typedef struct vdi_vilds_query {
    int64_t refine;
    /**< steps of refinement of each trial's posterior: about 8 natural ones for a product posterior
         with a ready observation part, some hundred gradient steps for all else; default 0 */
    int64_t samples; /**< for the expected log likelihood where it has no closed form; default 16 */
    int64_t iw;      /**< samples of the importance-weighted bound; 0: none */
    uint64_t seed;   /**< of the samples */
    int64_t nodes;   /**< of quadrature for each latent dimension; default 7, fewer for d > 3 */
} vdi_vilds_query;
/** Where vdi_vilds_infer writes; NULL members are not computed. All float64, zero beyond a trial's
 * length. */
typedef struct vdi_vilds_result {
    double *mean;   /**< (trials,T,d) */
    double *cov;    /**< (trials,T,d,d) */
    double *lagcov; /**< (trials,T-1,d,d): Cov(z_{t+1}, z_t) */
    double *sample; /**< (samples,trials,T,d) */
    double *rate;   /**< (trials,T,n): E_q of the mean of y; ready parts only */
    double *elbo;   /**< (trials) nats, all constants included */
    double *iw;     /**< (trials) importance-weighted bound */
} vdi_vilds_result;
/** The posterior of each trial. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_infer(vdi_vilds *m, vdi_vilds_data *data,
                                                 const vdi_vilds_query *q,
                                                 const vdi_vilds_result *out, vdi_error *err);
/** Mean ELBO per bin, nats, all channels summed. `q` may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_score(vdi_vilds *m, vdi_vilds_data *data,
                                                 const vdi_vilds_query *q, double *elbo_per_bin,
                                                 vdi_error *err);
/** What is predicted from what. */
typedef enum vdi_vilds_prediction {
    VDI_VILDS_LEAVE_ONE_OUT = 0, /**< channel i at all bins from the other channels */
    VDI_VILDS_ONE_STEP           /**< bin t from all bins before it */
} vdi_vilds_prediction;
/** log E_q p(y) (trials,T,n) and E_q of the mean of y (trials,T,n), the latent integrated by
 * quadrature; either may be NULL. Missing values
 *  have log probability 0. Nothing of what is predicted is read. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_predict(vdi_vilds *m, vdi_vilds_data *data,
                                                   vdi_vilds_prediction what,
                                                   const vdi_vilds_query *q, double *log_prob,
                                                   double *mean, vdi_error *err);

#endif /* VDI_MODEL_VILDS_VILDS_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_VILDS_C)
#define VDI_MODEL_VILDS_VILDS_C

/* ======== descriptions ======================================================================== */

VDI__DEF vdi_vilds_desc vdi_vilds_desc_defaults(const vdi_vilds_desc *desc) {
    vdi_vilds_desc d = VDI__ZERO;
    if (desc) d = *desc;
    if (d.layers == 0) {
        d.layers = 2;
        d.hidden[0] = d.hidden[1] = 60;
    }
    if (d.encoder_layers == 0) {
        d.encoder_layers = 2;
        d.encoder_hidden[0] = d.encoder_hidden[1] = 60;
    }
    if (d.linear) d.layers = 0;
    if (d.encoder_linear) d.encoder_layers = 0;
    if (d.first_scale == 0) d.first_scale = 1;
    if (!d.has_reach && d.reach == 0) d.reach = 2;
    d.has_reach = true;
    if (d.a0 == 0) d.a0 = 0.99;
    if (d.max_count == 0) d.max_count = 12;
    if (d.bin_width == 0) d.bin_width = 1;
    vdi_vilds_train *t = &d.train;
    if (t->steps == 0) t->steps = 1500;
    if (t->batch == 0) t->batch = 20;
    if (t->samples == 0) t->samples = 1;
    if (t->rate == 0) t->rate = 1e-2;
    if (t->last_rate == 0) t->last_rate = t->rate * 1e-2;
    if (t->warmup == 0) t->warmup = VDI__MIN(20, t->steps);
    if (t->clip_norm == 0) t->clip_norm = 10;
    if (t->restarts == 0) t->restarts = 1;
    if (t->restart_steps == 0) t->restart_steps = 250;
    if (t->open_from == 0 && t->open_to == 0) {
        t->open_from = 0.3;
        t->open_to = 0.4;
    }
    if (t->mask_trials == 0) t->mask_trials = 0.8;
    if (t->mask_rate == 0) t->mask_rate = 0.25;
    if (t->no_masking) t->mask_trials = t->mask_rate = 0;
    if (t->eval_every == 0) t->eval_every = 50;
    d.allocator = vdi_allocator_defaults(&d.allocator);
    return d;
}

VDI__DEF vdi_status vdi_vilds_desc_check(const vdi_vilds_desc *desc, vdi_error *err) {
    vdi_vilds_desc d = vdi_vilds_desc_defaults(desc);
    const vdi_vilds_train *t = &d.train;
    const char *field = NULL;
    double value = 0;
    if (d.d < 1 || d.d > 64) {
        field = "d";
        value = (double)d.d;
    } else if (d.n < 1 || d.n > 1 << 20) {
        field = "n";
        value = (double)d.n;
    } else if (d.inputs < 0 || d.inputs > 4096) {
        field = "inputs";
        value = (double)d.inputs;
    } else if ((unsigned)d.obs > VDI_VILDS_BERNOULLI) {
        field = "obs";
        value = d.obs;
    } else if ((unsigned)d.link > VDI_VILDS_SOFTPLUS) {
        field = "link";
        value = d.link;
    } else if ((unsigned)d.posterior > VDI_VILDS_MEANFIELD) {
        field = "posterior";
        value = d.posterior;
    } else if (d.layers < 0 || d.layers > VDI_VILDS_LAYERS) {
        field = "layers";
        value = d.layers;
    } else if (d.encoder_layers < 0 || d.encoder_layers > VDI_VILDS_LAYERS) {
        field = "encoder_layers";
        value = d.encoder_layers;
    } else if (d.reach < 0 || d.reach > 256) {
        field = "reach";
        value = (double)d.reach;
    } else if (!(d.a0 > -1 && d.a0 < 1)) {
        field = "a0";
        value = d.a0;
    } else if (!(d.first_scale > 0 && d.first_scale < 1e6)) {
        field = "first_scale";
        value = d.first_scale;
    } else if (d.max_count < 2 || d.max_count > 4096) {
        field = "max_count";
        value = (double)d.max_count;
    } else if (d.transition_layers < 0 || d.transition_layers > VDI_VILDS_LAYERS ||
               (d.transition_layers && d.log_joint)) {
        field = "transition_layers";
        value = d.transition_layers;
    } else if (!(d.bin_width > 0 && d.bin_width < 1e9)) {
        field = "bin_width";
        value = d.bin_width;
    } else if (!vdi_dtype_is_real(d.dtype)) {
        field = "dtype";
        value = d.dtype;
    } else if (d.user_param_count < 0 || (d.user_param_count && !d.user_params)) {
        field = "user_param_count";
        value = (double)d.user_param_count;
    } else if (t->steps < 1) {
        field = "train.steps";
        value = (double)t->steps;
    } else if (t->batch < 1) {
        field = "train.batch";
        value = (double)t->batch;
    } else if (t->window < 0) {
        field = "train.window";
        value = (double)t->window;
    } else if (t->samples < 1) {
        field = "train.samples";
        value = (double)t->samples;
    } else if (!(t->rate > 0 && t->rate < 10)) {
        field = "train.rate";
        value = t->rate;
    } else if (!(t->last_rate > 0 && t->last_rate <= t->rate)) {
        field = "train.last_rate";
        value = t->last_rate;
    } else if (t->warmup < 0) {
        field = "train.warmup";
        value = (double)t->warmup;
    } else if (!(t->clip_norm > 0)) {
        field = "train.clip_norm";
        value = t->clip_norm;
    } else if (t->restarts < 1 || t->restarts > 1 << 20) {
        field = "train.restarts";
        value = (double)t->restarts;
    } else if (t->restart_steps < 1) {
        field = "train.restart_steps";
        value = (double)t->restart_steps;
    } else if (!(t->open_from >= 0 && t->open_to >= t->open_from)) {
        field = "train.open_to";
        value = t->open_to;
    } else if (!(t->mask_trials >= 0 && t->mask_trials <= 1)) {
        field = "train.mask_trials";
        value = t->mask_trials;
    } else if (!(t->mask_rate >= 0 && t->mask_rate < 1)) {
        field = "train.mask_rate";
        value = t->mask_rate;
    } else if (!(t->weight_decay >= 0)) {
        field = "train.weight_decay";
        value = t->weight_decay;
    } else if (t->eval_every < 1) {
        field = "train.eval_every";
        value = (double)t->eval_every;
    }
    for (int i = 0; !field && i < d.layers; i++) {
        if (d.hidden[i] < 1) {
            field = "hidden";
            value = (double)d.hidden[i];
        }
    }
    for (int i = 0; !field && i < d.encoder_layers; i++) {
        if (d.encoder_hidden[i] < 1) {
            field = "encoder_hidden";
            value = (double)d.encoder_hidden[i];
        }
    }
    for (int i = 0; !field && i < d.transition_layers; i++) {
        if (d.transition_hidden[i] < 1) {
            field = "transition_hidden";
            value = (double)d.transition_hidden[i];
        }
    }
    return field ? vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_vilds_desc", "%s is %g: out of range",
                                 field, value)
                 : VDI_OK;
}

/* ======== the model object ==================================================================== */

struct vdi_vilds {
    vdi_vilds_desc desc;
    vdi_params *params;
    vdi_param_desc *list;
    int64_t list_count;
    /* where each part's parameters begin, -1 if there is none */
    int64_t A, Q, Q0, x0, B, own_A, own_Q, own_Q0, own_x0, own_B, window, mask, bias, net, decoder,
        skip, extra, transition, user;
    vdi_mlp_desc net_desc, decoder_desc, transition_desc;
    vdi_optim *optim;
    vdi_tape *tape;
    vdi_arena arena;                /* batches */
    double *mean, *sd;              /* (n) of the data that the model was started on */
    uint64_t stats;                 /* changes when mean and sd do */
    void *safe, *best, *start_best; /* copies of the parameters: before the last step, best on
                                       validation, best of the starts */
    void *safe_m, *safe_v;
    int64_t count[8]; /* counters of the training, see the enum in vilds_train.h */
    double number[8];
    vdi_state state;
    vdi_named_tensor *tensors;
    char text[16][48];
    vdi_meta meta[32];
};

struct vdi_vilds_data {
    vdi_allocator allocator;
    vdi_dtype dtype;
    int64_t trials, T, n, inputs, total;
    int64_t *length;
    void *y, *x, *log_factorial; /* (trials,T,n): values (missing: 0), standardised, log y! */
    void *offset;                /* (trials,T,n): log exposure, bin width included, or NULL: all
                                    0 */
    double *factorial;           /* (trials,n): sums of log y! over what is seen */
    unsigned char *seen;         /* (trials,T,n), or NULL: all */
    double *u;                   /* (trials,T,inputs) */
    uint64_t stats;              /* of the model's mean and sd that x was made with; 0: none */
};

/* ======== observations ======================================================================== */

VDI__DEF void vdi_vilds_data_destroy(vdi_vilds_data *data) {
    if (!data) return;
    vdi_allocator a = data->allocator;
    size_t cells = (size_t)(data->trials * data->T * data->n), size = vdi_dtype_size(data->dtype);
    vdi_free(&a, data->length, (size_t)data->trials * sizeof *data->length);
    vdi_free(&a, data->y, cells * size);
    vdi_free(&a, data->x, cells * size);
    vdi_free(&a, data->log_factorial, cells * size);
    vdi_free(&a, data->offset, cells * size);
    vdi_free(&a, data->factorial, (size_t)(data->trials * data->n) * sizeof(double));
    vdi_free(&a, data->seen, cells);
    vdi_free(&a, data->u, (size_t)(data->trials * data->T * data->inputs) * sizeof(double));
    vdi_free(&a, data, sizeof *data);
}
VDI__DEF int64_t vdi_vilds_data_trials(const vdi_vilds_data *data) { return data->trials; }
VDI__DEF int64_t vdi_vilds_data_bins(const vdi_vilds_data *data) { return data->T; }
VDI__DEF int64_t vdi_vilds_data_total_bins(const vdi_vilds_data *data) { return data->total; }
VDI__DEF int64_t vdi_vilds_data_length(const vdi_vilds_data *data, int64_t trial) {
    return data->length[trial];
}

/* A (trials,T,channels) view of what may come as (T,channels). */
VDI__FN vdi_tensor vdi__vilds_view(vdi_tensor x) {
    if (x.ndim != 2) return x;
    vdi_tensor r = x;
    r.ndim = 3;
    for (int i = 2; i > 0; i--) {
        r.shape[i] = x.shape[i - 1];
        r.stride[i] = x.stride[i - 1];
    }
    r.shape[0] = 1;
    r.stride[0] = 0;
    return r;
}

VDI__DEF vdi_status vdi_vilds_data_create(const vdi_vilds *m, const vdi_vilds_data_desc *desc,
                                          vdi_vilds_data **out, vdi_error *err) {
    static const char where[] = "vdi_vilds_data_create";
    const vdi_vilds_desc *md = &m->desc;
    char text[VDI_SHAPE_TEXT];
    vdi_tensor y = vdi__vilds_view(desc->y);
    vdi_tensor mask = desc->has_mask ? vdi__vilds_view(desc->mask) : y;
    *out = NULL;
    if (y.ndim != 3 || y.shape[0] < 1 || y.shape[1] < 1 || y.shape[2] != md->n) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "y is %s, expected (trials,T,%lld)",
                             vdi_tensor_shape_text(desc->y, text), (long long)md->n);
    }
    if (!vdi_tensor_same_shape(y, mask)) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "mask is %s, expected the shape of y",
                             vdi_tensor_shape_text(desc->mask, text));
    }
    int64_t trials = y.shape[0], T = y.shape[1], n = md->n;
    vdi_tensor u = vdi__vilds_view(desc->u);
    vdi_tensor offset = vdi__vilds_view(desc->offset);
    bool counts = md->obs != VDI_VILDS_GAUSSIAN && !md->log_joint, all = true;
    double width = counts && md->obs != VDI_VILDS_BERNOULLI ? log(md->bin_width) : 0;
    bool shifted = desc->has_offset || width != 0;
    if (desc->has_offset) {
        offset = vdi_tensor_broadcast_to(offset, 3, y.shape);
        if (!vdi_tensor_ok(offset)) {
            return vdi_error_set(err, VDI_ERR_SHAPE, where,
                                 "offset is %s, expected what broadcasts to the shape of y",
                                 vdi_tensor_shape_text(desc->offset, text));
        }
    }
    if (md->inputs &&
        (u.ndim != 3 || u.shape[0] != trials || u.shape[1] != T || u.shape[2] != md->inputs)) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "u is %s, expected (%lld,%lld,%lld)",
                             vdi_tensor_shape_text(desc->u, text), (long long)trials, (long long)T,
                             (long long)md->inputs);
    }
    vdi_vilds_data *data = (vdi_vilds_data *)vdi_alloc(&md->allocator, sizeof *data);
    if (!data) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    memset(data, 0, sizeof *data);
    data->allocator = md->allocator;
    data->dtype = md->dtype;
    data->trials = trials;
    data->T = T;
    data->n = n;
    data->inputs = md->inputs;
    size_t cells = (size_t)(trials * T * n), size = vdi_dtype_size(md->dtype);
    data->length = (int64_t *)vdi_alloc(&md->allocator, (size_t)trials * sizeof *data->length);
    data->y = vdi_alloc(&md->allocator, cells * size);
    data->x = vdi_alloc(&md->allocator, cells * size);
    data->log_factorial = vdi_alloc(&md->allocator, cells * size);
    if (shifted) data->offset = vdi_alloc(&md->allocator, cells * size);
    data->factorial = (double *)vdi_alloc(&md->allocator, (size_t)(trials * n) * sizeof(double));
    data->seen = (unsigned char *)vdi_alloc(&md->allocator, cells);
    data->u =
        (double *)vdi_alloc(&md->allocator, (size_t)(trials * T * md->inputs) * sizeof(double));
    if (!data->length || !data->y || !data->x || !data->log_factorial || !data->factorial ||
        !data->seen || !data->u || (shifted && !data->offset)) {
        vdi_vilds_data_destroy(data);
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %lld values",
                             (long long)cells);
    }
    memset(data->factorial, 0, (size_t)(trials * n) * sizeof(double));
    for (int64_t b = 0, i = 0; b < trials; b++) {
        int64_t length = desc->lengths ? desc->lengths[b] : T;
        if (length < 1 || length > T) {
            vdi_vilds_data_destroy(data);
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "lengths[%lld] is %lld, expected 1..%lld", (long long)b,
                                 (long long)length, (long long)T);
        }
        data->length[b] = length;
        data->total += length;
        for (int64_t t = 0; t < T; t++) {
            for (int64_t j = 0; j < n; j++, i++) {
                int64_t at[3];
                at[0] = b;
                at[1] = t;
                at[2] = j;
                double v = t < length ? vdi_tensor_get(y, at) : 0;
                bool seen =
                    t < length && v == v && !(desc->has_mask && vdi_tensor_get(mask, at) == 0);
                if (seen && (v - v != 0 || (counts && (v < 0 || v != floor(v))) ||
                             (md->obs == VDI_VILDS_BERNOULLI && counts && v > 1))) {
                    vdi_vilds_data_destroy(data);
                    return vdi_error_set(err, VDI_ERR_DATA, where, "y[%lld,%lld,%lld] is %g: %s",
                                         (long long)b, (long long)t, (long long)j, v,
                                         counts ? "expected a count" : "expected a finite number");
                }
                double lf = seen && counts && v > 1 ? lgamma(v + 1) : 0;
                double shift = desc->has_offset ? vdi_tensor_get(offset, at) : 0;
                if (t >= length) shift = 0;
                if (shift - shift != 0) {
                    vdi_vilds_data_destroy(data);
                    return vdi_error_set(err, VDI_ERR_DATA, where,
                                         "offset[%lld,%lld,%lld] is %g: expected a finite number",
                                         (long long)b, (long long)t, (long long)j, shift);
                }
                if (shifted) vdi_dtype_store(md->dtype, data->offset, i, shift + width);
                if (!seen) v = 0;
                if (!seen && t < length) all = false;
                data->seen[i] = seen;
                data->factorial[b * n + j] += lf;
                vdi_dtype_store(md->dtype, data->y, i, v);
                vdi_dtype_store(md->dtype, data->log_factorial, i, lf);
            }
        }
    }
    if (all) {
        vdi_free(&md->allocator, data->seen, cells);
        data->seen = NULL;
    }
    if (md->inputs) {
        vdi_status status =
            vdi_tensor_copy(vdi_tensor_3d(data->u, VDI_F64, trials, T, md->inputs), u, err);
        if (status >= 0 && vdi_count_nonfinite(VDI_F64, (size_t)(trials * T * md->inputs), data->u))
            status = vdi_error_set(err, VDI_ERR_DATA, where, "u holds NaN or infinity");
        if (status < 0) {
            vdi_vilds_data_destroy(data);
            return status;
        }
    }
    *out = data;
    return VDI_OK;
}

/* x = (y - mean) / sd, with the model's mean and sd; missing values become 0. */
VDI__FN void vdi__vilds_standardise(const vdi_vilds *m, vdi_vilds_data *data) {
    if (data->stats == m->stats) return;
    int64_t rows = data->trials * data->T, n = data->n;
    for (int64_t r = 0, i = 0; r < rows; r++) {
        for (int64_t j = 0; j < n; j++, i++) {
            double v = (vdi_dtype_load(data->dtype, data->y, i) - m->mean[j]) / m->sd[j];
            bool seen = data->seen ? data->seen[i] != 0 : r % data->T < data->length[r / data->T];
            vdi_dtype_store(data->dtype, data->x, i, seen ? v : 0);
        }
    }
    data->stats = m->stats;
}
#endif
