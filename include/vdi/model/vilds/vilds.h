/* model/vilds/vilds.h - variational inference for latent time series: a structured Gaussian
 * posterior given by a network; the model and its observations
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
 *     dd.y = vdi_tensor_3d(counts, VDI_U8, trials, T, 40);   real data: NaN is missing
 *     vdi_vilds_data *data;
 *     vdi_vilds_data_create(model, &dd, &data, &err);
 *     vdi_vilds_fit(model, data, NULL, NULL, NULL, &err);    restarts and the full schedule
 *     double elbo;
 *     vdi_vilds_score(model, data, NULL, &elbo, &err);       nats per bin, all neurons
 *
 * Training is in train.h, posteriors and bounds are in infer.h, predictions in predict.h, and the
 * kinds of observation in observation.h.
 * Trials may be ragged (`lengths`), any value may be missing; batches of such trials run as one.
 * The encoder sees which values are missing and is trained with neurons left out at random, so that
 * leave-one-out prediction needs no separate training. Networks run in desc.dtype, the algebra over
 * time always in float64. The equations: docs/guide/vilds.md.
 * What it does NOT do: second-order optimisation of the networks, inputs that are missing.
 * Memory: create and data_create allocate; the first step and the first call of each kind (a score,
 * an inference, a prediction) grow the tape and the arena to what their shapes need, later ones of
 * the same shapes allocate nothing. Errors: statuses; a step with a result that is not finite is
 * undone and shortened. Threads: one model per thread.
 */
#ifndef VDI_MODEL_VILDS_VILDS_H
#define VDI_MODEL_VILDS_VILDS_H
#include "../../core/field.h"
#include "../../core/log.h"
#include "../../core/ranks.h"
#include "../../grad/blocktri_ops.h"
#include "../../grad/dist.h"
#include "../../grad/layers.h"
#include "../../grad/optim.h"
#include "../lds/parameters.h"
#include "observation.h"

/** Most hidden layers of encoder and decoder. */
#define VDI_VILDS_LAYERS 6

/** The families of q: enumerator, name in files and options, functions (vdi__family_..., see
 * posterior.h). */
#define VDI_VILDS_FAMILIES(FAMILY)                                                                 \
    /* the linear dynamical prior times a Gaussian factor a bin: exp(h_t'z_t - |R_t'z_t|^2 / 2) */ \
    FAMILY(VDI_VILDS_PRODUCT, "product", product)                                                  \
    /* mean from the network, precision F F' from the blocks of a bidiagonal F */                  \
    FAMILY(VDI_VILDS_DIRECT, "direct", direct)                                                     \
    /* independent Gaussians over time */                                                          \
    FAMILY(VDI_VILDS_MEANFIELD, "meanfield", meanfield)

#define VDI__FAMILY_ENUMERATOR(enumerator, name, functions) enumerator,
/** The family of q. */
typedef enum vdi_vilds_family { VDI_VILDS_FAMILIES(VDI__FAMILY_ENUMERATOR) } vdi_vilds_family;

/** What a log joint is told about the trials of a batch. */
typedef struct vdi_trial_info {
    int64_t samples, trials, T; /**< S, B and the longest length */
    const int64_t *length;      /**< (B) bins of each that count */
    const bool *start;          /**< (B) does it begin where its trial begins, or in the middle? */
    const int64_t *first;       /**< (B) bin of the trial with which it begins */
    const int64_t *trial;       /**< (B) index in the data */
    const double *inputs;       /**< (B,T,desc.inputs), 0 behind a trial's end; NULL: none */
    const vdi_param *params;    /**< the user's own parameters, in the order of desc.user_params */
} vdi_trial_info;
/** z (S,B,T,d) samples of the latents, y (B,T,N) with mask (B,T,N), 0 where a value is missing; all
 * float64, whatever the networks are. Returns (S,B) float64: log p(y,z) for each sample and trial,
 * in nats. Which bins a trial has, and the user's parameters: joint.h. */
typedef vdi_var (*vdi_log_joint_fn)(vdi_tape *t, vdi_var z, vdi_var y, vdi_var mask,
                                    const vdi_trial_info *info, void *user);

/** How a model is trained. Zero is the default of each field (vdi_vilds_desc_fields). */
typedef struct vdi_vilds_train {
    int64_t steps;         /**< of the full schedule */
    int64_t encoder_steps; /**< after it, of the encoder alone, whose posterior then has to
                                predict the channels that are left out as well */
    int64_t batch;         /**< trials in a step */
    int64_t window;        /**< bins of a random window of a longer trial; 0: whole trials */
    int64_t samples;       /**< reparameterised samples in a step */
    double rate;           /**< Adam's rate, down a cosine to ... */
    double last_rate;      /**< ... this; 0: a hundredth of it */
    int64_t warmup;        /**< steps of a linear rise; 0: 20 */
    double clip_norm;      /**< longest gradient */
    int64_t restarts;      /**< starts of which the best by training ELBO goes on */
    int64_t restart_steps; /**< steps of each */
    double open_from;      /**< fraction of the schedule from which the encoder's window opens */
    double open_to;        /**< and from which it is open; both 0: 0.3 and 0.4 */
    double mask_trials;    /**< share of trials with neurons left out */
    double mask_rate;      /**< share of neurons left out there */
    bool no_masking;       /**< leave none out */
    bool frozen_dynamics;  /**< keep A, B, Q (and Q0, x0) as they are */
    bool sampled_kl;       /**< where z is sampled, E log p(z) from the samples too instead of in
                                closed form: a shorter step, with more noise in its gradient; the
                                entropy of q stays exact, and so do scores */
    double weight_decay;   /**< on the squares of the decoder's weights, nats for all data */
    int64_t eval_every;    /**< steps between validations */
    int64_t patience;      /**< validations without gain after which it stops; 0: never */
    uint64_t seed;         /**< of everything random */
} vdi_vilds_train;

/** Description of a model; zero is the default of each field (vdi_vilds_desc_fields). */
typedef struct vdi_vilds_desc {
    int64_t d;                                /**< latent dimension */
    int64_t n;                                /**< observed channels */
    int64_t inputs;                           /**< entries of u_t; 0: none */
    vdi_vilds_obs obs;                        /**< ready observation part */
    vdi_vilds_link link;                      /**< of counts */
    vdi_vilds_family posterior;               /**< family of q */
    bool untied;                              /**< a product posterior with dynamics of its own */
    bool linear;                              /**< decoder without hidden layers */
    bool skip;                                /**< a linear read-out beside the decoder's network */
    int32_t layers;                           /**< hidden layers (tanh) of the decoder */
    int64_t hidden[VDI_VILDS_LAYERS];         /**< their sizes */
    double first_scale;                       /**< on the initial first layer of the decoder */
    bool encoder_linear;                      /**< encoder without hidden layers */
    int32_t encoder_layers;                   /**< hidden layers (tanh) of the encoder */
    int64_t encoder_hidden[VDI_VILDS_LAYERS]; /**< their sizes */
    bool has_reach;                           /**< take `reach` as it stands */
    int64_t reach;                            /**< bins that the encoder sees on either side */
    bool free_start;                          /**< Q0 and x0 are trained; else N(0, I) */
    double a0;                                /**< A starts as a0 I, Q as (1 - a0^2) I */
    int32_t transition_layers; /**< hidden layers (tanh) of a network g of the last latent, added to
                                    A z_{t-1}; 0: no such network */
    int64_t transition_hidden[VDI_VILDS_LAYERS]; /**< their sizes */
    double bin_width;           /**< counts: the decoder gives the log of a rate per unit of it */
    vdi_log_joint_fn log_joint; /**< your own log p(y, z), or NULL for the ready parts */
    void *user;                 /**< handed to it */
    const vdi_param_desc *user_params; /**< its parameters; copied */
    int64_t user_param_count;          /**< how many */
    int64_t max_count;                 /**< largest count that VDI_VILDS_COUNT has a free g for */
    vdi_dtype dtype;                   /**< of the networks; VDI_F32 to train, VDI_F64 to check */
    vdi_vilds_train train;             /**< how it learns */
    vdi_pool *pool;                    /**< for the algebra over time; NULL: the caller's thread */
    vdi_ranks ranks; /**< processes that share the trials of each step; zero: alone. All have all
                          data */
    vdi_allocator allocator; /**< zero: malloc and free */
    vdi_logger logger;       /**< zero: silent */
} vdi_vilds_desc;

/** A model: opaque. */
typedef struct vdi_vilds vdi_vilds;
/** Observations in the form that a model works with: opaque. */
typedef struct vdi_vilds_data vdi_vilds_data;

/** Observations. */
typedef struct vdi_vilds_data_desc {
    vdi_tensor y;           /**< (trials,T,n) or (T,n), any dtype; NaN is missing */
    vdi_tensor mask;        /**< the same shape, 0 is missing; read if has_mask */
    bool has_mask;          /**< `mask` is given */
    vdi_tensor u;           /**< (trials,T,inputs): u_t acts on the step from t-1 to t; where the
                                 model has inputs */
    vdi_tensor offset;      /**< what is added to the decoder's output (a log exposure, for counts),
                                 finite, broadcast to the shape of y; read if has_offset */
    bool has_offset;        /**< `offset` is given */
    const int64_t *lengths; /**< (trials); NULL: T */
} vdi_vilds_data_desc;

/** Name, default, range and help of each field of a description; "train.steps" ... for those of
 * its training. */
VDI_API const vdi_fields *vdi_vilds_desc_fields(void);
/** The description with defaults filled in. */
VDI_API vdi_vilds_desc vdi_vilds_desc_defaults(const vdi_vilds_desc *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_vilds_desc_check(const vdi_vilds_desc *desc, vdi_error *err);
/** The description of the model whose metadata these are (vdi_vilds_state): every field but those
 * that no file holds, log_joint, user, user_params, pool, ranks, allocator and logger, which stay
 * as they are. VDI_ERR_FORMAT names the key that is missing or wrong; VDI_ERR_UNSUPPORTED if that
 * model has a log joint and `desc` brings none. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_desc_from_meta(vdi_vilds_desc *desc,
                                                          const vdi_meta *meta, int64_t count,
                                                          vdi_error *err);

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
/** Parameters, statistics of the training data and, as metadata, the description; the tensors are
 * live: write them, or let a loader fill them. With `training` also the optimiser's memory and the
 * counters, with which a run goes on to the bit. Good until the next call. */
VDI_API const vdi_state *vdi_vilds_state(vdi_vilds *m, bool training);

/** VDI_OK, or what does not fit the model: VDI_ERR_SHAPE, VDI_ERR_ARGUMENT. */
VDI_API vdi_status vdi_vilds_data_desc_check(const vdi_vilds *m, const vdi_vilds_data_desc *desc,
                                             vdi_error *err);
/** Take in observations; the tensors are copied. VDI_ERR_DATA names the value that the model's
 * observations do not take; observations that are all missing are refused too. */
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
/** Bytes in use, of the data and of what the model's largest step so far worked in: after the first
 * step of training, what training takes. Memory comes in chunks that double, so that up to twice as
 * much may be reserved, of which what is not in use is not touched. */
VDI_API size_t vdi_vilds_bytes(const vdi_vilds *m, const vdi_vilds_data *data);

#endif /* VDI_MODEL_VILDS_VILDS_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_VILDS_C)
#define VDI_MODEL_VILDS_VILDS_C

#define VDI__FAMILY_NAME(enumerator, name, functions) name,
static const char *const vdi__family_names[] = {VDI_VILDS_FAMILIES(VDI__FAMILY_NAME) NULL};
static const char *const vdi__link_names[] = {"exp", "softplus", NULL};
static const char *const vdi__dtype_names[] = {"float32", "float64", NULL};

/* A row: whole number, real number, flag. Those of before the table have no flags. */
#define VDI__VILDS_INT(member, initial, least, most, flags, help) \
    VDI_FIELD_INT_FLAGS(vdi_vilds_desc, member, initial, least, most, flags, help)
#define VDI__VILDS_REAL(member, initial, least, most, flags, help) \
    VDI_FIELD_REAL_FLAGS(vdi_vilds_desc, member, initial, least, most, flags, help)
#define VDI__VILDS_SIZES(member, number, none, initial_number, help)                               \
    VDI_FIELD_SIZES(vdi_vilds_desc, member, number, none, VDI_VILDS_LAYERS, initial_number, 60, 1, \
                    100000, help)

static const vdi_field vdi__vilds_fields[] = {
    VDI__VILDS_INT(d, 0, 1, 64, VDI_FIELD_REQUIRED, "latent dimension"),
    VDI__VILDS_INT(n, 0, 1, 1 << 20, VDI_FIELD_REQUIRED, "observed channels"),
    VDI__VILDS_INT(inputs, 0, 0, 4096, 0, "entries of the known inputs of each bin"),
    VDI_FIELD_ENUM(vdi_vilds_desc, obs, vdi__obs_names, "observations"),
    VDI_FIELD_ENUM(vdi_vilds_desc, link, vdi__link_names,
                   "from the read-out to the mean of poisson and negbin counts"),
    VDI_FIELD_ENUM(vdi_vilds_desc, posterior, vdi__family_names, "family of q"),
    VDI_FIELD_BOOL(vdi_vilds_desc, untied, "a product posterior with dynamics of its own"),
    VDI__VILDS_SIZES(hidden, layers, offsetof(vdi_vilds_desc, linear), 2,
                     "hidden layers (tanh) of the read-out; none: a linear read-out"),
    VDI_FIELD_BOOL(vdi_vilds_desc, skip, "a linear read-out beside the network"),
    VDI__VILDS_SIZES(encoder_hidden, encoder_layers, offsetof(vdi_vilds_desc, encoder_linear), 2,
                     "hidden layers (tanh) of the encoder; none: linear"),
    VDI_FIELD_INT_TWIN(vdi_vilds_desc, reach, has_reach, 2, 0, 256,
                       "bins that the encoder sees on either side"),
    VDI_FIELD_BOOL(vdi_vilds_desc, free_start,
                   "learn the distribution of the first bin's latent, instead of N(0, I)"),
    VDI__VILDS_SIZES(transition_hidden, transition_layers, VDI_FIELD_NONE, 0,
                     "hidden layers (tanh) of a network g: z_t = A z_{t-1} + g(z_{t-1}) + noise"),
    VDI__VILDS_REAL(bin_width, 1, 0, 1e9, VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                    "the read-out gives rates per unit of it"),
    VDI__VILDS_INT(max_count, 12, 2, 4096, 0,
                   "generalised counts: the largest count with a weight of its own"),
    {"dtype", VDI_FIELD_TYPE_ENUM, offsetof(vdi_vilds_desc, dtype), VDI_FIELD_NONE, 0, 0, 0,
     vdi__dtype_names, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED, "of the networks"},
    VDI__VILDS_REAL(first_scale, 1, 0, 1e6, VDI_FIELD_ADDED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                    "on the initial first layer of the read-out"),
    VDI__VILDS_REAL(a0, 0.99, -1, 1, VDI_FIELD_ADDED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                    "the dynamics start as A = a0 I"),
    VDI__VILDS_INT(train.steps, 1500, 1, 1e12, VDI_FIELD_ADDED, "of the full schedule"),
    VDI__VILDS_INT(train.encoder_steps, 0, 0, 1e12, VDI_FIELD_ADDED,
                   "of the encoder alone behind the schedule, to predict hidden channels"),
    VDI__VILDS_INT(train.batch, 20, 1, 1e9, VDI_FIELD_ADDED, "trials in a step"),
    VDI__VILDS_INT(train.window, 0, 0, 1e12, VDI_FIELD_ADDED,
                   "bins of random windows of longer trials; 0: whole trials"),
    VDI__VILDS_INT(train.samples, 1, 1, 1e6, VDI_FIELD_ADDED, "reparameterised samples in a step"),
    VDI__VILDS_REAL(train.rate, 1e-2, 0, 10, VDI_FIELD_ADDED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                    "Adam's rate, down a cosine"),
    VDI__VILDS_REAL(train.last_rate, 0, 0, 10,
                    VDI_FIELD_ADDED | VDI_FIELD_COMPUTED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
                    "where it ends; default: a hundredth"),
    VDI__VILDS_INT(train.warmup, 0, 0, 1e12, VDI_FIELD_ADDED | VDI_FIELD_COMPUTED,
                   "steps of a linear rise of the rate; default: 20"),
    VDI__VILDS_REAL(train.clip_norm, 10, 0, 1e30, VDI_FIELD_ADDED | VDI_FIELD_ABOVE,
                    "longest gradient"),
    VDI__VILDS_INT(train.restarts, 1, 1, 1 << 20, VDI_FIELD_ADDED,
                   "starts, of which the best by training bound goes on"),
    VDI__VILDS_INT(train.restart_steps, 250, 1, 1e12, VDI_FIELD_ADDED, "steps of each start"),
    VDI__VILDS_REAL(train.open_from, 0, 0, 1e9, VDI_FIELD_ADDED | VDI_FIELD_COMPUTED,
                    "fraction of the schedule from which the encoder sees neighbouring bins; "
                    "default: 0.3"),
    VDI__VILDS_REAL(train.open_to, 0, 0, 1e9, VDI_FIELD_ADDED | VDI_FIELD_COMPUTED,
                    "and from which it sees them in full; default: 0.4"),
    VDI__VILDS_REAL(train.mask_trials, 0.8, 0, 1, VDI_FIELD_ADDED,
                    "share of trials in which training hides channels"),
    VDI__VILDS_REAL(train.mask_rate, 0.25, 0, 1, VDI_FIELD_ADDED | VDI_FIELD_BELOW,
                    "share of channels that it hides there"),
    {"train.no_masking", VDI_FIELD_TYPE_BOOL, offsetof(vdi_vilds_desc, train.no_masking),
     VDI_FIELD_NONE, 0, 0, 1, NULL, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED, "hide no channels"},
    {"train.frozen_dynamics", VDI_FIELD_TYPE_BOOL, offsetof(vdi_vilds_desc, train.frozen_dynamics),
     VDI_FIELD_NONE, 0, 0, 1, NULL, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED,
     "keep the dynamics as they are"},
    {"train.sampled_kl", VDI_FIELD_TYPE_BOOL, offsetof(vdi_vilds_desc, train.sampled_kl),
     VDI_FIELD_NONE, 0, 0, 1, NULL, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED,
     "the prior's share of the bound from samples too"},
    VDI__VILDS_REAL(train.weight_decay, 0, 0, 1e30, VDI_FIELD_ADDED,
                    "on the sum of squares of the read-out's weights, nats for the whole data set"),
    VDI__VILDS_INT(train.eval_every, 50, 1, 1e12, VDI_FIELD_ADDED, "steps between validations"),
    VDI__VILDS_INT(train.patience, 0, 0, 1e12, VDI_FIELD_ADDED,
                   "validations without gain after which it stops; 0: never"),
    {"train.seed", VDI_FIELD_TYPE_SEED, offsetof(vdi_vilds_desc, train.seed), VDI_FIELD_NONE, 0, 0,
     0, NULL, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED, "of everything random"},
};

VDI__DEF const vdi_fields *vdi_vilds_desc_fields(void) {
    static const vdi_fields fields = {"vdi_vilds_desc", vdi__vilds_fields,
                                      VDI__COUNT(vdi__vilds_fields)};
    return &fields;
}

VDI__DEF vdi_vilds_desc vdi_vilds_desc_defaults(const vdi_vilds_desc *desc) {
    vdi_vilds_desc d = VDI__ZERO;
    if (desc) d = *desc;
    vdi_fields_fill(vdi_vilds_desc_fields(), &d);
    if (d.linear) d.layers = 0;
    if (d.encoder_linear) d.encoder_layers = 0;
    vdi_vilds_train *t = &d.train;
    if (t->last_rate == 0) t->last_rate = t->rate * 1e-2;
    if (t->warmup == 0) t->warmup = VDI__MIN(20, t->steps);
    if (t->open_from == 0 && t->open_to == 0) {
        t->open_from = 0.3;
        t->open_to = 0.4;
    }
    if (t->no_masking) t->mask_trials = t->mask_rate = 0;
    d.allocator = vdi_allocator_defaults(&d.allocator);
    return d;
}

VDI__DEF vdi_status vdi_vilds_desc_check(const vdi_vilds_desc *desc, vdi_error *err) {
    static const char where[] = "vdi_vilds_desc";
    const vdi_vilds_desc d = vdi_vilds_desc_defaults(desc);
    vdi_status status = vdi_fields_check(vdi_vilds_desc_fields(), &d, err);
    if (status >= 0) status = vdi_ranks_check(&d.ranks, err);
    if (status < 0) return status;
    if (d.ranks.count > d.train.batch) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "ranks.count is %d: expected at most train.batch, %lld",
                             (int)d.ranks.count, (long long)d.train.batch);
    }
    if (d.transition_layers && d.log_joint) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "transition_layers is %d: a log joint of your own has none",
                             (int)d.transition_layers);
    }
    if (d.user_param_count < 0 || (d.user_param_count && !d.user_params)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "user_param_count is %lld: %s",
                             (long long)d.user_param_count,
                             d.user_param_count < 0 ? "expected 0 or more" : "there are none");
    }
    if (d.train.last_rate > d.train.rate) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "train.last_rate is %g: expected at most train.rate, %g",
                             d.train.last_rate, d.train.rate);
    }
    if (d.train.open_to < d.train.open_from) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "train.open_to is %g: expected at least train.open_from, %g",
                             d.train.open_to, d.train.open_from);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_vilds_desc_from_meta(vdi_vilds_desc *desc, const vdi_meta *meta,
                                             int64_t count, vdi_error *err) {
    static const char where[] = "vdi_vilds_desc_from_meta";
    const vdi_status status = vdi__meta_check_kind(meta, count, "vilds", where, err);
    if (status < 0) return status;
    if (vdi_meta_find(meta, count, "log_joint") && !desc->log_joint) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "the model has a log joint of its own: set desc.log_joint");
    }
    return vdi_fields_read(vdi_vilds_desc_fields(), desc, meta, count, err);
}
#endif
