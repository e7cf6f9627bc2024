/* model/deepspike/deepspike.h - spikes from fluorescence by an amortised network (Speiser et
 * al. 2017)
 *
 *     s_t ~ Bernoulli,   f ~ p(f | s, theta_i) with parameters theta_i of each cell,
 *     q(s | f): one network for all cells
 *
 * Do this:
 *     vdi_deepspike_desc desc = VDI__ZERO;
 *     desc.generative = vdi_deepspike_calcium(&calcium);   what makes fluorescence of spikes
 *     vdi_deepspike *net;
 *     vdi_deepspike_create(&desc, &net, &err);
 *     vdi_deepspike_data_desc dd = VDI__ZERO;
 *     dd.traces = vdi_tensor_2d(f, VDI_F32, cells, T);     NaN is a missing frame
 *     vdi_deepspike_data *data;
 *     vdi_deepspike_data_create(net, &dd, &data, &err);
 *     vdi_deepspike_fit(net, data, NULL, NULL, &err);      no labels are needed
 *     vdi_deepspike_result out = VDI__ZERO;
 *     out.expected = spikes;                               (cells,T): expected spikes of each frame
 *     vdi_deepspike_infer(net, data, NULL, &out, &err);
 *
 * Two families of q: factorised (a stack of convolutions) and correlated (that, a recurrent network
 * backward in time, and one forward that reads its own samples). Estimators of the gradient are
 * exchangeable: VIMCO, REINFORCE, a concrete relaxation, wake-sleep, and labels if there are any.
 * Bins may be finer than frames (`upsample`), which is how a frame holds several spikes. The
 * equations and what was measured: docs/guide/spikes.md.
 *
 * Memory: create and data_create allocate; the first step and the first call of each kind grow
 * arenas, later ones of the same shape allocate nothing; a stream (stream.h) never does.
 * Errors: statuses; a step with a result that is not finite changes nothing. Threads: one network
 * per thread; desc.pool splits a step over the snippets of its batch, with the same bits for any
 * number.
 * What it does NOT do: motion or neuropil correction; priors with refractory periods; correlated
 * posteriors of two streams.
 */
#ifndef VDI_MODEL_DEEPSPIKE_DEEPSPIKE_H
#define VDI_MODEL_DEEPSPIKE_DEEPSPIKE_H
#include "../../core/field.h"
#include "../../core/log.h"
#include "../../core/ranks.h"
#include "../../grad/layers.h"
#include "../../grad/optim.h"
#include "../calcium/calcium.h"

/** Most layers of the convolution stack, and most parameters of a generative model. */
#define VDI_DEEPSPIKE_LAYERS 8
#define VDI_DEEPSPIKE_THETA 16
/** Most streams of spikes (two in a spine: back-propagating and synaptic). */
#define VDI_DEEPSPIKE_STREAMS 2

/** The family of q. */
typedef enum vdi_deepspike_family {
    VDI_DEEPSPIKE_FACTORISED = 0, /**< independent bins */
    VDI_DEEPSPIKE_CORRELATED      /**< q(s_t | f, s_1..s_{t-1}) */
} vdi_deepspike_family;

/** The estimators of the gradient, a row each: VDI_DEEPSPIKE_<first> is the estimator's number, the
 * second its name. A new one is a row here and a row of functions vdi__ds_<name> (estimator.h). */
#define VDI_DEEPSPIKE_ESTIMATOR_LIST(ROW) \
    ROW(VIMCO, vimco)                     \
    ROW(REINFORCE, reinforce)             \
    ROW(CONCRETE, concrete)               \
    ROW(WAKE_SLEEP, wake_sleep)           \
    ROW(SUPERVISED, supervised)
/** How the gradient is estimated:
 *    VIMCO       of the K-sample bound, leave-one-out baseline (Mnih and Rezende 2016; arithmetic
 *                mean)
 *    REINFORCE   of the evidence lower bound; baseline: the mean of the other samples, of earlier
 *                steps for K = 1
 *    CONCRETE    of a relaxation of it (Maddison et al. 2017): low variance, some bias; factorised
 *                and Bernoulli prior only
 *    WAKE_SLEEP  theta by K importance-weighted samples, q by labels that the generative model
 *                draws itself (Hinton et al. 1995; Bornschein and Bengio 2015): needs
 *                generative.sample
 *    SUPERVISED  -mean log q of the true train: needs labels, no generative model */
typedef enum vdi_deepspike_estimator {
#define VDI__DS_NUMBER(upper, lower) VDI_DEEPSPIKE_##upper,
    VDI_DEEPSPIKE_ESTIMATOR_LIST(VDI__DS_NUMBER)
#undef VDI__DS_NUMBER
        VDI_DEEPSPIKE_ESTIMATORS /**< how many there are */
} vdi_deepspike_estimator;

/** The prior over trains. */
typedef enum vdi_deepspike_prior {
    VDI_DEEPSPIKE_BERNOULLI = 0, /**< independent bins of probability `rate`: the bound is one of
                                      log p(f) */
    VDI_DEEPSPIKE_COUNT
    /**< log C(n,k) + k log p + (n-k) log(1-p): the probability of the count, as in the published
         code. It is no distribution over trains, so no bound is claimed: a regulariser of the
         rate */
} vdi_deepspike_prior;

/** p(f | s, theta) for the trainer: one of calcium.h (vdi_deepspike_calcium), or your own. theta is
 * a vector of unconstrained numbers for
 *  each cell. */
typedef struct vdi_deepspike_generative {
    int64_t theta_count;                         /**< how many, 0..VDI_DEEPSPIKE_THETA */
    const char *theta_name[VDI_DEEPSPIKE_THETA]; /**< for tables */
    double theta_init[VDI_DEEPSPIKE_THETA];      /**< where every cell begins */
    bool theta_frozen[VDI_DEEPSPIKE_THETA];      /**< stays there */
    int64_t amplitude;                           /**< which of them is the amplitude that
                                                      desc.amplitude infers */
    int streams;                                 /**< of spikes and of fluorescence: 1 (or 0), or 2
                                                      for a spine */
    /** log p(f | s, theta) in nats with all constants, (S,B). Time-major: spikes (T,S,B), f and
     * mask (T,B), mask 1 where f is observed and
     *  counts; with two streams all three have a leading axis of 2. theta (P), or (S,B,P) with an
     *  inferred amplitude. The concrete estimator needs the gradient in spikes. */
    vdi_var (*log_likelihood)(vdi_tape *t, vdi_var spikes, vdi_var f, vdi_var mask, vdi_var theta,
                              const vdi_calcium_info *info, void *user);
    /** From spikes (streams,T) to f with noise and `clean` without, (streams,T) of dtype, either
     * may be NULL: for wake-sleep and for denoised traces. May be NULL. */
    vdi_status (*sample)(const double *theta, vdi_dtype dtype, int64_t T, const void *spikes,
                         vdi_rng *rng, void *clean, void *f, void *user, vdi_error *err);
    void *user;               /**< handed to both */
    vdi_calcium_desc calcium; /**< what vdi_deepspike_calcium keeps here */
} vdi_deepspike_generative;
/** A model of calcium.h as a generative part: its parameters, initial values, streams. `calcium` is
 * copied. */
VDI_API vdi_deepspike_generative vdi_deepspike_calcium(const vdi_calcium_desc *calcium);

/** A factorised posterior of your own in the place of the stack of convolutions. */
typedef struct vdi_deepspike_network {
    vdi_params *params; /**< what is trained; the caller's, of desc.dtype */
    /** x (B,T,streams), row b from trace[b] of the data (as its statistics may matter); returns the
     * log odds (B, T upsample, streams). */
    vdi_var (*odds)(vdi_tape *t, vdi_var x, const int64_t *trace, void *user);
    void *user; /**< handed to it */
} vdi_deepspike_network;

/** How a network is trained. Zero is the default of each field. */
typedef struct vdi_deepspike_train {
    vdi_deepspike_estimator estimator; /**< default VIMCO */
    int64_t steps;                     /**< of the schedule; default 5000 */
    int64_t batch;                     /**< snippets of one cell in a step; default 20 */
    int64_t samples;                   /**< K; default 64 */
    int64_t snippet;                   /**< frames of a snippet; default 300 */
    bool has_buffer;                   /**< take buffer_first, buffer_last as they stand */
    int64_t buffer_first, buffer_last; /**< frames at its ends that no term counts; default a third
                                            and a sixth */
    double rate;                       /**< Adam's; default 1e-3 */
    double theta_factor;               /**< RMSprop's rate for theta over Adam's; default 30 */
    double clip_norm;                  /**< of the gradient of the network; default 0.02, negative:
                                            none */
    vdi_schedule schedule;             /**< of both rates; default a factor of 0.995 every 200
                                            steps */
    int64_t dreams;                    /**< wake-sleep: simulated snippets in a step; default 3
                                            times the batch */
    double temperature;                /**< concrete: of the relaxation; default 0.5 */
    double baseline_memory;            /**< REINFORCE with K = 1: of the running mean; default
                                            0.9 */
    uint64_t seed;                     /**< of everything random */
} vdi_deepspike_train;

/** Description of a network; zero is the default where one is named. */
typedef struct vdi_deepspike_desc {
    vdi_deepspike_family posterior;           /**< family of q */
    vdi_deepspike_generative generative;      /**< may be empty for labels alone */
    vdi_deepspike_network network;            /**< of your own; zero: the layers below */
    int32_t layers;                           /**< convolutions below the head; 0: those of the
                                                   published nets for the family */
    int64_t channels[VDI_DEEPSPIKE_LAYERS];   /**< of each */
    int64_t width[VDI_DEEPSPIKE_LAYERS];      /**< of each, odd, in frames */
    int64_t head_width;                       /**< of the last convolution; default 11 */
    int64_t features, hidden;                 /**< correlated: outputs of that, and units of both
                                                   recurrent layers; default 13, 64 */
    bool has_bias;                            /**< take `bias` as it stands */
    double bias;                              /**< of the log odds at the start; default -3,
                                                   correlated -5 */
    double floor;                             /**< q is held in [floor, 1 - floor]; default 1e-3 */
    int64_t upsample;                         /**< bins in a frame; default 1 */
    bool amplitude;                           /**< infer the amplitude from each snippet: alpha +
                                                   N(mu(f), sd(f)^2), prior N(0, spread^2) */
    double amplitude_spread;                  /**< default 0.3 */
    vdi_deepspike_prior prior;                /**< over trains */
    double prior_rate[VDI_DEEPSPIKE_STREAMS]; /**< spikes in a bin; default 0.015 */
    bool normalise;                           /**< bring each cell's traces to noise 0.1 and lower
                                                   quartile 0 first */
    vdi_dtype dtype;                          /**< VDI_F32 to train, VDI_F64 to check */
    vdi_deepspike_train train;                /**< how it learns */
    vdi_pool *pool;                           /**< splits a step; NULL: the caller's thread */
    vdi_ranks ranks;                          /**< processes that share the snippets of each step;
                                                   zero: alone. All have all data */
    vdi_allocator allocator;                  /**< zero: malloc and free */
    vdi_logger logger;                        /**< zero: silent */
} vdi_deepspike_desc;

/** A network: opaque. */
typedef struct vdi_deepspike vdi_deepspike;
/** Traces, and the parameters of the cells that they come from: opaque. */
typedef struct vdi_deepspike_data vdi_deepspike_data;

/** Traces. */
typedef struct vdi_deepspike_data_desc {
    vdi_tensor traces;
    /**< (N,T) or (T); with two streams (N,2,T). Any dtype; NaN is a missing frame, bridged for the
         network and left out of the likelihood */
    const int64_t *lengths; /**< (N) frames of each; NULL: T */
    const int64_t *cell;    /**< (N) 0,1,...: the cell of each trace; NULL: each its own */
    vdi_tensor mask;        /**< (N,T): 0 where the network may look at a frame but the likelihood
                                 may not; null data: none */
    vdi_tensor spikes;      /**< labels (N,T upsample), or (N,streams,T upsample): counts, taken as
                                 0 or 1; null data: none */
} vdi_deepspike_data_desc;

/** Its fields, train's among them: defaults, ranges, text (core/field.h). */
VDI_API const vdi_fields *vdi_deepspike_desc_fields(void);
/** The description with defaults filled in. */
VDI_API vdi_deepspike_desc vdi_deepspike_desc_defaults(const vdi_deepspike_desc *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_deepspike_desc_check(const vdi_deepspike_desc *desc, vdi_error *err);
/** Make a network with parameters drawn from train.seed. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_create(const vdi_deepspike_desc *desc,
                                                      vdi_deepspike **out, vdi_error *err);
/** Give everything back; NULL is ignored. */
VDI_API void vdi_deepspike_destroy(vdi_deepspike *m);
/** The description in force. */
VDI_API const vdi_deepspike_desc *vdi_deepspike_description(const vdi_deepspike *m);
/** The network's parameters: "conv.0.weight" (width,in,out), "head.0.weight" ...; correlated also
 * "back...", "forward...". */
VDI_API vdi_params *vdi_deepspike_params(vdi_deepspike *m);
/** Another prior rate from here on (spikes in a bin): of stream 0, 1. */
VDI_API void vdi_deepspike_set_prior_rate(vdi_deepspike *m, int stream, double rate);
/** Another schedule from here on: the field `train`, defaults filled in. The optimiser's memory
 * stays. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_set_train(vdi_deepspike *m,
                                                         const vdi_deepspike_train *train,
                                                         vdi_error *err);
/** Begin the schedule again from the parameters as they are, with a fresh optimiser. */
VDI_API void vdi_deepspike_restart(vdi_deepspike *m);

/** Take in traces; the tensors are copied. VDI_ERR_DATA for a trace without a finite number. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_data_create(const vdi_deepspike *m,
                                                           const vdi_deepspike_data_desc *desc,
                                                           vdi_deepspike_data **out,
                                                           vdi_error *err);
/** Give everything back; NULL is ignored. */
VDI_API void vdi_deepspike_data_destroy(vdi_deepspike_data *data);
/** How many traces. */
VDI_API int64_t vdi_deepspike_data_traces(const vdi_deepspike_data *data);
/** Frames of the longest trace: the T of results. */
VDI_API int64_t vdi_deepspike_data_frames(const vdi_deepspike_data *data);
/** How many cells they come from. */
VDI_API int64_t vdi_deepspike_data_cells(const vdi_deepspike_data *data);
/** theta of a cell (theta_count): read or write it. It belongs to the normalised trace (f -
 * shift) / scale. */
VDI_API double *vdi_deepspike_data_theta(vdi_deepspike_data *data, int64_t cell);
/** What a cell's traces were normalised by; 0 and 1 without desc.normalise. */
VDI_API void vdi_deepspike_data_scale(const vdi_deepspike_data *data, int64_t cell, int signal,
                                      double *shift, double *scale);

/** Everything that makes the network by name, live: write it, or let a loader fill it. With `data`
 * (may be NULL) the cells' theta too, and
 *  with `training` the optimisers' memory and the counters, with which a run goes on to the bit. */
VDI_API const vdi_state *vdi_deepspike_state(vdi_deepspike *m, vdi_deepspike_data *data,
                                             bool training);
/** The description of a saved network, from the metadata of its state: every field, dtype and seed
 * too, but no generative model and no network of one's own. VDI_ERR_FORMAT if that is not one. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_desc_from_meta(const vdi_meta *meta, int64_t count,
                                                              vdi_deepspike_desc *out,
                                                              vdi_error *err);

#endif /* VDI_MODEL_DEEPSPIKE_DEEPSPIKE_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_DEEPSPIKE_C)
#define VDI_MODEL_DEEPSPIKE_DEEPSPIKE_C

#define VDI__DS_SLOPE 0.2 /* of the leaky rectifiers */

/* One of the workers that share a step: memory of its own. */
typedef struct vdi__ds_worker {
    vdi_tape *tape;
    vdi_arena arena;
} vdi__ds_worker;

/* where the parameters of the recurrent units stand, behind `rnn` */
enum {
    VDI__DS_BACK = 0,
    VDI__DS_FORWARD = 4,
    VDI__DS_SPIKE = 8,
    VDI__DS_OUT,
    VDI__DS_OUT_BIAS,
    VDI__DS_STATE
};

/* Parameters of a network at most, the caller's too: three pretrained members have 48. */
enum { VDI__DS_PARAMS = 120 };

struct vdi_deepspike {
    vdi_deepspike_desc desc;
    vdi_conv_desc stack, head;
    vdi_gru_desc back, forward;
    vdi_param_desc list[2 * VDI_DEEPSPIKE_LAYERS + 20];
    int64_t items, head_at, rnn, amplitude; /* where the parameters of each part begin */
    vdi_params *params;
    vdi_optim *optim;
    vdi_tape *tape;
    vdi_arena arena;
    int workers;
    vdi__ds_worker *worker;
    int64_t step;                                       /* done */
    vdi_named_tensor tensors[3 * (VDI__DS_PARAMS + 3)]; /* each with Adam's two, and the rest */
    vdi_meta_list meta;
    vdi_state state;
};

struct vdi_deepspike_data {
    vdi_allocator allocator;
    vdi_dtype dtype;
    int64_t traces, frames, cells, theta_count, bins; /* bins: frames * upsample */
    int streams, signals;
    int64_t *length, *cell;
    void *x;                 /* (traces, frames, signals): normalised and bridged */
    unsigned char *seen;     /* (traces, frames) */
    unsigned char *label;    /* (traces, streams, bins) or NULL */
    double *theta, *theta_v; /* (cells, theta_count) */
    double *baseline;        /* (cells, 2): REINFORCE's running mean, and how many went into it */
    double *scale;           /* (cells, signals, 2): shift, scale */
    void *block;
    size_t bytes;
};

/* Streams of random numbers: (seed, purpose, step, index). */
enum { VDI__DS_RNG_BATCH = 1, VDI__DS_RNG_TRAIN, VDI__DS_RNG_DREAM, VDI__DS_RNG_INFER };
VDI__FN vdi_rng vdi__ds_rng(const vdi_deepspike *m, int purpose, uint64_t step, uint64_t index) {
    return vdi_rng_make(m->desc.train.seed, (uint64_t)purpose << 56 |
                                                (step & (((uint64_t)1 << 40) - 1)) << 16 |
                                                (index & 0xFFFF));
}

/* The row of an estimator; its body is in estimator.h. */
typedef struct vdi__ds_estimator vdi__ds_estimator;
VDI__FN const vdi__ds_estimator *vdi__ds_estimator_of(vdi_deepspike_estimator estimator);
#endif
