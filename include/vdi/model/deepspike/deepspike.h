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
 * exchangeable: VIMCO, REINFORCE, a concrete relaxation, wake-sleep, and labels where there are
 * some. Bins may be finer than frames (`upsample`), which is how a frame holds several spikes. The
 * equations and what was measured: docs/guide/spikes.md.
 *
 * Memory: create and data_create allocate; the first step and the first call of each kind grow
 * arenas, later ones of the same shape allocate nothing; a stream (deepspike_infer.h) never does.
 * Errors: statuses; a step that would leave the finite numbers changes nothing. Threads: one
 * network per thread; desc.pool splits a step over the snippets of its batch, with the same bits
 * for any number.
 * What it does NOT do: motion or neuropil correction; priors with refractory periods; correlated
 * posteriors of two streams.
 */
#ifndef VDI_MODEL_DEEPSPIKE_DEEPSPIKE_H
#define VDI_MODEL_DEEPSPIKE_DEEPSPIKE_H
#include "../../core/log.h"
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

/** How the gradient is estimated. */
typedef enum vdi_deepspike_estimator {
    VDI_DEEPSPIKE_VIMCO = 0, /**< of the K-sample bound, leave-one-out baseline (Mnih and Rezende
                                  2016; arithmetic mean) */
    VDI_DEEPSPIKE_REINFORCE, /**< of the evidence lower bound; baseline: the mean of the other
                                  samples, of earlier steps for K = 1 */
    VDI_DEEPSPIKE_CONCRETE,
    /**< of a relaxation of it (Maddison et al. 2017): low variance, some bias; factorised and
         Bernoulli prior only */
    VDI_DEEPSPIKE_WAKE_SLEEP,
    /**< theta by K importance-weighted samples, q by labels that the generative model draws itself
         (Hinton et al. 1995; Bornschein and Bengio 2015): needs generative.sample */
    VDI_DEEPSPIKE_SUPERVISED /**< -mean log q of the true train: needs labels, no generative
                                  model */
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
/** The description of a saved network, from the metadata of its state; VDI_ERR_FORMAT if that is
 * not one. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_desc_from_meta(const vdi_meta *meta, int64_t count,
                                                              vdi_deepspike_desc *out,
                                                              vdi_error *err);

#endif /* VDI_MODEL_DEEPSPIKE_DEEPSPIKE_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_DEEPSPIKE_C)
#define VDI_MODEL_DEEPSPIKE_DEEPSPIKE_C

/* ======== description ========================================================================= */

VDI__DEF vdi_deepspike_desc vdi_deepspike_desc_defaults(const vdi_deepspike_desc *desc) {
    static const int64_t channels[2][5] = {{30, 25, 25, 20, 15}, {20, 15, 15, 15, 0}};
    static const int64_t width[2][5] = {{31, 21, 21, 13, 11}, {31, 21, 21, 11, 0}};
    vdi_deepspike_desc d = VDI__ZERO;
    if (desc) d = *desc;
    vdi_deepspike_train *t = &d.train;
    const int correlated = d.posterior == VDI_DEEPSPIKE_CORRELATED;
    if (d.layers == 0) {
        d.layers = correlated ? 4 : 5;
        for (int i = 0; i < d.layers; i++) {
            d.channels[i] = channels[correlated][i];
            d.width[i] = width[correlated][i];
        }
    }
    if (d.head_width == 0) d.head_width = 11;
    if (d.features == 0) d.features = 13;
    if (d.hidden == 0) d.hidden = 64;
    if (!d.has_bias) {
        d.bias = correlated ? -5 : -3;
        d.has_bias = true;
    }
    if (d.floor == 0) d.floor = 1e-3;
    if (d.upsample == 0) d.upsample = 1;
    if (d.amplitude_spread == 0) d.amplitude_spread = 0.3;
    for (int i = 0; i < VDI_DEEPSPIKE_STREAMS; i++)
        if (d.prior_rate[i] == 0) d.prior_rate[i] = 0.015;
    if (d.generative.streams == 0) d.generative.streams = 1;
    if (t->steps == 0) t->steps = 5000;
    if (t->batch == 0) t->batch = 20;
    if (t->samples == 0) t->samples = 64;
    if (t->snippet == 0) t->snippet = 300;
    if (!t->has_buffer) {
        t->buffer_first = t->snippet / 3;
        t->buffer_last = t->snippet / 6;
        t->has_buffer = true;
    }
    if (t->rate == 0) t->rate = 1e-3;
    if (t->theta_factor == 0) t->theta_factor = 30;
    if (t->clip_norm == 0) t->clip_norm = 0.02;
    if (t->schedule.kind == VDI_SCHEDULE_CONSTANT && t->schedule.every == 0 &&
        t->schedule.factor == 0 && t->schedule.warmup == 0) {
        t->schedule.kind = VDI_SCHEDULE_STEP;
        t->schedule.every = 200;
        t->schedule.factor = 0.995;
    }
    if (t->dreams == 0) t->dreams = 3 * t->batch;
    if (t->temperature == 0) t->temperature = 0.5;
    if (t->baseline_memory == 0) t->baseline_memory = 0.9;
    return d;
}

VDI__DEF vdi_status vdi_deepspike_desc_check(const vdi_deepspike_desc *desc, vdi_error *err) {
    static const char where[] = "vdi_deepspike_desc_check";
    const vdi_deepspike_desc full = vdi_deepspike_desc_defaults(desc), *d = &full;
    const vdi_deepspike_train *t = &d->train;
    const vdi_deepspike_generative *g = &d->generative;
    struct {
        const char *name;
        int64_t value, least, most;
    } field[] = {{"layers", d->layers, 1, VDI_DEEPSPIKE_LAYERS},
                 {"head_width", d->head_width, 1, 4096},
                 {"features", d->features, 1, 4096},
                 {"hidden", d->hidden, 1, 4096},
                 {"upsample", d->upsample, 1, 64},
                 {"generative.theta_count", g->theta_count, 0, VDI_DEEPSPIKE_THETA},
                 {"generative.streams", g->streams, 1, VDI_DEEPSPIKE_STREAMS},
                 {"train.steps", t->steps, 1, (int64_t)1 << 38},
                 {"train.batch", t->batch, 1, 1 << 15},
                 {"train.samples", t->samples, 1, 1 << 20},
                 {"train.snippet", t->snippet, 1, 1 << 24},
                 {"train.buffer_first", t->buffer_first, 0, t->snippet - 1},
                 {"train.buffer_last", t->buffer_last, 0, t->snippet - t->buffer_first - 1},
                 {"train.dreams", t->dreams, 1, 1 << 15}};
    struct {
        const char *name;
        double value, least, most;
    } real[] = {{"floor", d->floor, 1e-12, 0.49},
                {"bias", d->bias, -50, 50},
                {"amplitude_spread", d->amplitude_spread, 1e-6, 1e3},
                {"prior_rate[0]", d->prior_rate[0], 1e-9, 0.999},
                {"prior_rate[1]", d->prior_rate[1], 1e-9, 0.999},
                {"train.rate", t->rate, 1e-12, 10},
                {"train.theta_factor", t->theta_factor, 0, 1e6},
                {"train.temperature", t->temperature, 1e-3, 100},
                {"train.baseline_memory", t->baseline_memory, 0, 1}};
    for (size_t i = 0; i < VDI__COUNT(field); i++) {
        if (field[i].value < field[i].least || field[i].value > field[i].most) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%s is %lld, expected %lld to %lld",
                                 field[i].name, (long long)field[i].value,
                                 (long long)field[i].least, (long long)field[i].most);
        }
    }
    for (size_t i = 0; i < VDI__COUNT(real); i++) {
        if (!(real[i].value >= real[i].least && real[i].value <= real[i].most)) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%s is %g, expected %g to %g",
                                 real[i].name, real[i].value, real[i].least, real[i].most);
        }
    }
    for (int i = 0; i < d->layers; i++) {
        if (d->channels[i] < 1 || d->channels[i] > 4096 || d->width[i] < 1 || d->width[i] > 4096 ||
            d->width[i] % 2 == 0) {
            return vdi_error_set(
                err, VDI_ERR_ARGUMENT, where,
                "layer %d has %lld channels of width %lld, expected 1 to 4096 and an odd width", i,
                (long long)d->channels[i], (long long)d->width[i]);
        }
    }
    if (d->head_width % 2 == 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "head_width is %lld, expected an odd one", (long long)d->head_width);
    }
    if ((unsigned)d->posterior > VDI_DEEPSPIKE_CORRELATED ||
        (unsigned)t->estimator > VDI_DEEPSPIKE_SUPERVISED ||
        (unsigned)d->prior > VDI_DEEPSPIKE_COUNT) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "posterior is %d, estimator %d, prior %d: not one of the enum's",
                             (int)d->posterior, (int)t->estimator, (int)d->prior);
    }
    if (!vdi_dtype_is_real(d->dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where, "dtype is %s, expected float32 or float64",
                             vdi_dtype_name(d->dtype));
    }
    if (t->estimator != VDI_DEEPSPIKE_SUPERVISED && !g->log_likelihood) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, where,
            "generative.log_likelihood is missing: only the supervised estimator does without");
    }
    if (t->estimator == VDI_DEEPSPIKE_WAKE_SLEEP && !g->sample) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, where,
            "wake-sleep draws from the generative model: generative.sample is missing");
    }
    if (d->posterior == VDI_DEEPSPIKE_CORRELATED && g->streams > 1) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "a correlated posterior has one stream, the generative model %d",
                             g->streams);
    }
    if (d->posterior == VDI_DEEPSPIKE_CORRELATED && t->estimator == VDI_DEEPSPIKE_CONCRETE) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "the concrete relaxation is for the factorised posterior");
    }
    if (d->network.odds && (!d->network.params || d->network.params->dtype != d->dtype ||
                            d->posterior != VDI_DEEPSPIKE_FACTORISED || d->amplitude)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "a network of one's own needs its parameters in desc.dtype, and is "
                             "factorised, without amplitude");
    }
    if (d->amplitude && (g->amplitude < 0 || g->amplitude >= g->theta_count)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "amplitude: generative.amplitude is %lld, expected an entry of theta",
                             (long long)g->amplitude);
    }
    return VDI_OK;
}

/* ======== the models of calcium.h ============================================================= */

VDI__FN vdi_var vdi__ds_calcium(vdi_tape *t, vdi_var spikes, vdi_var f, vdi_var mask, vdi_var theta,
                                const vdi_calcium_info *info, void *user) {
    vdi_calcium_desc d = *(const vdi_calcium_desc *)user;
    vdi_var log_p = vdi_var_none();
    d.time_major = info->time_major;
    (void)vdi_var_calcium(t, &d, spikes, theta, f, mask, NULL, &log_p);
    return log_p;
}
VDI__FN vdi_status vdi__ds_calcium_sample(const double *theta, vdi_dtype dtype, int64_t T,
                                          const void *spikes, vdi_rng *rng, void *clean, void *f,
                                          void *user, vdi_error *err) {
    const vdi_calcium_desc *d = (const vdi_calcium_desc *)user;
    int count = 0;
    const vdi_calcium_param *p = vdi_calcium_params(d->model, &count);
    const double sigma = vdi_calcium_natural(p[count - 1].map, theta[count - 1]);
    return vdi_calcium_sample(d, theta, dtype, T, spikes, d->drift > 0 ? sigma / sqrt(d->drift) : 0,
                              rng, clean, f, err);
}
VDI__DEF vdi_deepspike_generative vdi_deepspike_calcium(const vdi_calcium_desc *calcium) {
    vdi_deepspike_generative g = VDI__ZERO;
    int count = 0;
    const vdi_calcium_param *p = vdi_calcium_params(calcium->model, &count);
    if (!p) return g;
    g.calcium = *calcium;
    g.theta_count = count;
    g.streams = vdi_calcium_streams(calcium->model);
    for (int i = 0; i < count; i++) {
        g.theta_name[i] = p[i].name;
        if (strcmp(p[i].name, "alpha") == 0) g.amplitude = i;
    }
    vdi_calcium_initial(calcium, g.theta_init);
    g.log_likelihood = vdi__ds_calcium;
    g.sample = vdi__ds_calcium_sample;
    return g;
}

/* ======== the network ========================================================================= */

/* One of the workers that share a step: memory of its own. */
typedef struct vdi__ds_worker {
    vdi_tape *tape;
    vdi_arena arena;
} vdi__ds_worker;

/* what `count` holds */
enum { VDI__DS_STEP = 0, VDI__DS_COUNTS };
enum {
    VDI__DS_BACK = 0,
    VDI__DS_FORWARD = 4,
    VDI__DS_SPIKE = 8,
    VDI__DS_OUT,
    VDI__DS_OUT_BIAS,
    VDI__DS_STATE
}; /* items behind `rnn` */

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
    int64_t count[VDI__DS_COUNTS];
    vdi_named_tensor tensors[6 * VDI_DEEPSPIKE_LAYERS + 80];
    vdi_meta meta[24];
    char text[24][64];
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

VDI__FN void vdi__ds_declare(vdi_deepspike *m) {
    const vdi_deepspike_desc *d = &m->desc;
    const bool correlated = d->posterior == VDI_DEEPSPIKE_CORRELATED;
    const int64_t room = (int64_t)VDI__COUNT(m->list);
    const int64_t signals = d->generative.streams;
    const int64_t streams = signals;
    const int64_t R = d->upsample;
    const int64_t known = d->features + signals + d->hidden;
    int64_t n = 0;
    m->stack.name = "conv";
    m->stack.layers = d->layers;
    m->stack.act = m->stack.out_act = VDI_ACT_LEAKY_RELU;
    m->stack.channels[0] = signals;
    for (int i = 0; i < d->layers; i++) {
        m->stack.channels[i + 1] = d->channels[i];
        m->stack.width[i] = d->width[i];
    }
    m->head.name = "head";
    m->head.layers = 1;
    m->head.out_act = correlated ? VDI_ACT_LEAKY_RELU : VDI_ACT_NONE;
    m->head.channels[0] = d->channels[d->layers - 1];
    m->head.width[0] = d->head_width;
    m->head.channels[1] = correlated ? d->features * R : streams * R;
    m->head.init = correlated ? VDI_INIT_HE_NORMAL : VDI_INIT_GLOROT_NORMAL;
    n += vdi_conv_declare(&m->stack, m->list + n, room - n);
    m->head_at = n;
    n += vdi_conv_declare(&m->head, m->list + n, room - n);
    if (!correlated) {
        m->list[n - 1].init = VDI_INIT_CONSTANT;
        m->list[n - 1].scale = d->bias;
    }
    m->rnn = n;
    if (correlated) {
        const int H = (int)d->hidden;
        m->back.name = "back";
        m->back.inputs = d->features + signals;
        m->back.hidden = d->hidden;
        m->back.reverse = true;
        m->forward.name = "forward";
        m->forward.inputs = known;
        m->forward.hidden = d->hidden;
        n += vdi_gru_declare(&m->back, m->list + n, room - n);
        n += vdi_gru_declare(&m->forward, m->list + n, room - n);
        m->list[n] = vdi_param_2d("forward.weight_spike", VDI_INIT_FAN_IN, 0, 1, 3 * H);
        m->list[n++].fan_in = d->hidden;
        m->list[n++] = vdi_param_2d("out.weight", VDI_INIT_GLOROT_NORMAL, 0, known, 1);
        m->list[n++] = vdi_param_1d("out.bias", VDI_INIT_CONSTANT, d->bias, 1);
        m->list[n++] = vdi_param_2d("out.weight_state", VDI_INIT_GLOROT_NORMAL, 0, H, 1);
    }
    m->amplitude = n;
    if (d->amplitude) {
        m->list[n++] =
            vdi_param_2d("amplitude.weight", VDI_INIT_GLOROT_NORMAL, 0.1, m->head.channels[0], 2);
        m->list[n++] = vdi_param_1d("amplitude.bias", VDI_INIT_ZEROS, 0, 2);
    }
    m->items = n;
}

/* What the network says of a batch. Factorised: the log odds (B, T upsample, streams). Correlated:
   what is known before the samples are, input products (B, T upsample, 3H) of the forward unit and
   log odds (B, T upsample, 1) without its state. With amplitude: mean and softplus^{-1} of the
   deviation (B,2). */
typedef struct vdi__ds_graph {
    vdi_var odds, input, amplitude;
} vdi__ds_graph;

VDI__FN vdi__ds_graph vdi__ds_network(vdi_deepspike *m, vdi_tape *t, vdi_var x,
                                      const int64_t *trace) {
    const vdi_deepspike_desc *d = &m->desc;
    const vdi_param *item = m->params->item;
    const int64_t R = d->upsample;
    const int64_t batch = vdi_var_dim(t, x, 0);
    const int64_t frames = vdi_var_dim(t, x, 1);
    const int64_t signals = vdi_var_dim(t, x, 2);
    static const int swap[3] = {1, 0, 2};
    vdi__ds_graph g;
    g.input = g.amplitude = vdi_var_none();
    if (d->network.odds) {
        g.odds = d->network.odds(t, x, trace, d->network.user);
        if (vdi_var_ok(g.odds) &&
            (vdi_var_ndim(t, g.odds) != 3 || vdi_var_dim(t, g.odds, 0) != batch ||
             vdi_var_dim(t, g.odds, 1) != frames * R || vdi_var_dim(t, g.odds, 2) != signals)) {
            g.odds = vdi_tape_fail(t, VDI_ERR_SHAPE, "vdi_deepspike_network",
                                   "the log odds are not (%lld,%lld,%lld)", (long long)batch,
                                   (long long)(frames * R), (long long)signals);
        }
        return g;
    }
    vdi_var h = vdi_conv_apply(t, &m->stack, item, x);
    vdi_var y = vdi_conv_apply(t, &m->head, item + m->head_at, h);
    int64_t shape[4];
    shape[0] = batch;
    shape[1] = frames * R;
    shape[2] = m->head.channels[1] / R;
    y = vdi_var_reshape(t, y, 3, shape);
    if (d->amplitude) {
        g.amplitude = vdi_var_affine(t, vdi_var_mean_axis(t, h, 1, false),
                                     vdi_tape_param(t, item + m->amplitude),
                                     vdi_tape_param(t, item + m->amplitude + 1), VDI_ACT_NONE, 0);
    }
    if (d->posterior == VDI_DEEPSPIKE_FACTORISED) {
        g.odds = y;
        return g;
    }
    if (R > 1) { /* each bin of a frame sees the frame */
        shape[0] = batch;
        shape[1] = frames;
        shape[2] = 1;
        shape[3] = signals;
        x = vdi_var_reshape(t, x, 4, shape);
        shape[2] = R;
        x = vdi_var_broadcast_to(t, x, 4, shape);
        shape[1] = frames * R;
        shape[2] = signals;
        x = vdi_var_reshape(t, x, 3, shape);
    }
    vdi_var part[2];
    const vdi_param *rnn = item + m->rnn;
    part[0] = y;
    part[1] = x;
    y = vdi_var_concat(t, part, 2, -1);
    vdi_var back =
        vdi_gru_apply(t, &m->back, rnn + VDI__DS_BACK, vdi_var_permute(t, y, swap), vdi_var_none());
    part[0] = y;
    part[1] = vdi_var_permute(t, back, swap);
    y = vdi_var_concat(t, part, 2, -1);
    g.input = vdi_var_affine(t, y, vdi_tape_param(t, rnn + VDI__DS_FORWARD),
                             vdi_tape_param(t, rnn + VDI__DS_FORWARD + 1), VDI_ACT_NONE, 0);
    g.odds = vdi_var_affine(t, y, vdi_tape_param(t, rnn + VDI__DS_OUT),
                            vdi_tape_param(t, rnn + VDI__DS_OUT_BIAS), VDI_ACT_NONE, 0);
    return g;
}

/* ======== the forward unit ==================================================================== */

/* `rows` trains of one length, each with its own input products or all with the same (then the
   steps between rows are 0). Time-major: train, probability (T,rows), h (T,rows,H), gates
   (T,rows,4H). */
typedef struct vdi__ds_rnn {
    vdi_dtype dtype;
    int64_t rows, T, H;
    const char *input, *odds;      /* (T,3H), (T): of row 0 */
    int64_t input_step, odds_step; /* elements to the next row's */
    int64_t input_next, odds_next; /* elements to the next bin's */
    int64_t share;                 /* rows in a row that read the same (0: 1): the next `share` rows
                                      read the next */
    bool in_place;                 /* input (T,rows,3H) may be used up: no row is copied */
    bool goes_on;                  /* h holds a state, and train begins behind a bin that was drawn:
                                      not the first block of a trace */
    const void *w_hh, *b_hh, *w_spike, *w_state;
    double floor;
    void *train, *probability; /* train: drawn here where `uniform` is given, else read */
    const void *uniform;
    void *h, *gates;                          /* gates NULL: h is one state (rows,H) */
    void *input_now, *input_spike, *work, *z; /* (rows,3H), (3H), (rows,3H), (rows) */
} vdi__ds_rnn;

VDI__FN vdi__ds_rnn vdi__ds_rnn_of(const vdi_deepspike *m, int64_t rows, int64_t T) {
    vdi__ds_rnn r = VDI__ZERO;
    if (m->desc.posterior == VDI_DEEPSPIKE_FACTORISED) return r; /* it has no such parameters */
    const vdi_param *rnn = m->params->item + m->rnn;
    r.dtype = m->desc.dtype;
    r.rows = rows;
    r.T = T;
    r.H = m->desc.hidden;
    r.input_next = 3 * r.H;
    r.odds_next = 1;
    r.w_hh = rnn[VDI__DS_FORWARD + 2].value.data;
    r.b_hh = rnn[VDI__DS_FORWARD + 3].value.data;
    r.w_spike = rnn[VDI__DS_SPIKE].value.data;
    r.w_state = rnn[VDI__DS_STATE].value.data;
    r.floor = m->desc.floor;
    return r;
}
VDI__FN bool vdi__ds_rnn_room(vdi__ds_rnn *r, vdi_arena *a, bool keep) {
    const size_t size = vdi_dtype_size(r->dtype);
    const size_t rows = (size_t)r->rows;
    const size_t H = (size_t)r->H;
    const size_t T = (size_t)r->T;
    r->h = vdi_arena_alloc(a, (keep ? T : 1) * rows * H * size);
    r->gates = keep ? vdi_arena_alloc(a, T * rows * 4 * H * size) : NULL;
    r->input_now = vdi_arena_alloc(a, rows * 3 * H * size);
    r->input_spike = vdi_arena_alloc(a, 3 * H * size);
    r->work = vdi_arena_alloc(a, rows * 3 * H * size);
    r->z = vdi_arena_alloc(a, rows * size);
    r->probability = vdi_arena_alloc(a, T * rows * size);
    r->train = vdi_arena_alloc(a, T * rows * size);
    return r->h && (r->gates || !keep) && r->input_now && r->input_spike && r->work && r->z &&
           r->probability && r->train;
}

/* probability = sigmoid(z) held in [floor, 1 - floor], of n log odds */
VDI__FN void vdi__ds_probability(vdi_dtype dtype, double floor_, int64_t n, const void *z,
                                 void *p) {
    vdi_sigmoid(dtype, (size_t)n, z, p);
    vdi_clip(dtype, (size_t)n, floor_, 1 - floor_, p, p);
}
/* train = uniform < probability; `step` 1, or 0 for one row of probabilities for all */
VDI__FN void vdi__ds_draw(vdi_dtype dtype, int64_t n, const void *uniform, const void *p,
                          void *train) {
    if (dtype == VDI_F32) {
        const float *u = (const float *)uniform, *q = (const float *)p;
        float *s = (float *)train;
        for (int64_t i = 0; i < n; i++)
            s[i] = u[i] < q[i] ? 1.0f : 0.0f;
    } else {
        const double *u = (const double *)uniform, *q = (const double *)p;
        double *s = (double *)train;
        for (int64_t i = 0; i < n; i++)
            s[i] = u[i] < q[i] ? 1.0 : 0.0;
    }
}

/* One step for all rows: bin t, from the state `before` (NULL: zero) to `after`. */
VDI__FN void vdi__ds_rnn_step(const vdi__ds_rnn *r, int64_t t, const void *before, void *after,
                              void *gates) {
    const vdi_dtype dtype = r->dtype;
    const int64_t size = (int64_t)vdi_dtype_size(dtype), H3 = 3 * r->H;
    const char *last = t || r->goes_on ? (const char *)r->train + (t - 1) * r->rows * size : NULL;
    char *z = (char *)r->z;
    char *p = (char *)r->probability + t * r->rows * size;
    char *s = (char *)r->train + t * r->rows * size;
    const bool shared = r->input_step == 0;
    const char *x = r->input + t * r->input_next * size;
    char *now = r->in_place ? (char *)(uintptr_t)x : (char *)r->input_now;
    const int64_t share = r->share ? r->share : 1;
    if (shared && last) { /* what a row reads depends on its last spike alone */
        memcpy(r->input_spike, x, (size_t)(H3 * size));
        vdi_axpby(dtype, (size_t)H3, 1, r->w_spike, 1, r->input_spike);
    }
    for (int64_t k = 0; k < r->rows; k++) {
        char *to = now + k * H3 * size;
        const bool spike =
            last && (dtype == VDI_F32 ? ((const float *)(const void *)last)[k] != 0
                                      : ((const double *)(const void *)last)[k] != 0);
        if (!r->in_place) {
            memcpy(to,
                   shared && spike ? (const char *)r->input_spike
                                   : x + k / share * r->input_step * size,
                   (size_t)(H3 * size));
        }
        if (spike && !shared) vdi_axpby(dtype, (size_t)H3, 1, r->w_spike, 1, to);
        memcpy(z + k * size, r->odds + (t * r->odds_next + k / share * r->odds_step) * size,
               (size_t)size);
    }
    if (!before) {
        memset(after, 0, (size_t)(r->rows * r->H * size));
        before = after;
    }
    vdi_gru_step(dtype, (size_t)r->rows, (size_t)r->H, now, r->w_hh, r->b_hh, before, r->work,
                 after, gates);
    for (int64_t k = 0; k < r->rows; k++) {
        vdi_dtype_store(dtype, z, k,
                        vdi_dtype_load(dtype, z, k) + vdi_dot(dtype, (size_t)r->H,
                                                              (const char *)after + k * r->H * size,
                                                              r->w_state));
    }
    vdi__ds_probability(dtype, r->floor, r->rows, z, p);
    if (r->uniform)
        vdi__ds_draw(dtype, r->rows, (const char *)r->uniform + t * r->rows * size, p, s);
}
VDI__FN void vdi__ds_rnn_run(const vdi__ds_rnn *r) {
    const int64_t state = r->rows * r->H * (int64_t)vdi_dtype_size(r->dtype);
    for (int64_t t = 0; t < r->T; t++) {
        if (r->gates) {
            vdi__ds_rnn_step(r, t, t ? (const char *)r->h + (t - 1) * state : NULL,
                             (char *)r->h + t * state, (char *)r->gates + 4 * t * state);
        } else {
            vdi__ds_rnn_step(r, t, t || r->goes_on ? r->h : NULL, r->h, NULL);
        }
    }
}

/* ======== create ============================================================================== */

VDI__DEF void vdi_deepspike_destroy(vdi_deepspike *m) {
    if (!m) return;
    const vdi_allocator a = m->desc.allocator;
    for (int i = 0; m->worker && i < m->workers; i++) {
        vdi_tape_destroy(m->worker[i].tape);
        vdi_arena_free(&m->worker[i].arena);
    }
    vdi_free(&a, m->worker, (size_t)m->workers * sizeof *m->worker);
    vdi_optim_destroy(m->optim);
    vdi_tape_destroy(m->tape);
    if (!m->desc.network.odds) vdi_params_destroy(m->params);
    vdi_arena_free(&m->arena);
    vdi_free(&a, m, sizeof *m);
}

VDI__FN vdi_status vdi__ds_optim(vdi_deepspike *m, vdi_optim **out, vdi_error *err) {
    vdi_optim_desc od = vdi_optim_desc_defaults();
    od.rate = m->desc.train.rate;
    od.schedule = m->desc.train.schedule;
    od.clip_norm = m->desc.train.clip_norm > 0 ? m->desc.train.clip_norm : 0;
    return vdi_optim_create(&od, m->params, &m->desc.allocator, out, err);
}

VDI__DEF vdi_status vdi_deepspike_create(const vdi_deepspike_desc *desc, vdi_deepspike **out,
                                         vdi_error *err) {
    static const char where[] = "vdi_deepspike_create";
    const vdi_deepspike_desc d = vdi_deepspike_desc_defaults(desc);
    vdi_status status = vdi_deepspike_desc_check(&d, err);
    *out = NULL;
    if (status < 0) return status;
    vdi_deepspike *m = (vdi_deepspike *)vdi_alloc(&d.allocator, sizeof *m);
    if (!m) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    memset(m, 0, sizeof *m);
    m->desc = d;
    if (d.generative.log_likelihood == vdi__ds_calcium)
        m->desc.generative.user = &m->desc.generative.calcium;
    m->workers = vdi_pool_threads(d.pool);
    vdi_arena_init(&m->arena, &d.allocator, 0);
    m->worker = (vdi__ds_worker *)vdi_alloc(&d.allocator, (size_t)m->workers * sizeof *m->worker);
    if (!m->worker) status = vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    vdi_tape_desc td = vdi_tape_desc_defaults();
    td.dtype = d.dtype;
    td.allocator = d.allocator;
    td.block_size = (size_t)1 << 20;
    if (m->worker) {
        memset(m->worker, 0, (size_t)m->workers * sizeof *m->worker);
        for (int i = 0; i < m->workers; i++)
            vdi_arena_init(&m->worker[i].arena, &d.allocator, (size_t)1 << 20);
        for (int i = 0; i < m->workers && status >= 0; i++)
            status = vdi_tape_create(&td, &m->worker[i].tape, err);
    }
    vdi__ds_declare(m);
    vdi_rng rng = vdi_rng_make(d.train.seed, 0);
    if (d.network.odds) m->params = d.network.params;
    if (d.network.odds && (size_t)(3 * m->params->count + 8) > VDI__COUNT(m->tensors)) {
        status = vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                               "network.params are %lld, too many to be listed",
                               (long long)m->params->count);
    }
    if (!d.network.odds && status >= 0)
        status = vdi_params_create(m->list, m->items, d.dtype, &d.allocator, &rng, &m->params, err);
    if (status >= 0) status = vdi_tape_create(&td, &m->tape, err);
    if (status >= 0) status = vdi__ds_optim(m, &m->optim, err);
    if (status < 0) {
        vdi_deepspike_destroy(m);
        return status;
    }
    *out = m;
    return VDI_OK;
}

VDI__DEF const vdi_deepspike_desc *vdi_deepspike_description(const vdi_deepspike *m) {
    return &m->desc;
}
VDI__DEF vdi_params *vdi_deepspike_params(vdi_deepspike *m) { return m->params; }
VDI__DEF void vdi_deepspike_set_prior_rate(vdi_deepspike *m, int stream, double rate) {
    if (stream >= 0 && stream < VDI_DEEPSPIKE_STREAMS && rate > 0 && rate < 1)
        m->desc.prior_rate[stream] = rate;
}
VDI__DEF vdi_status vdi_deepspike_set_train(vdi_deepspike *m, const vdi_deepspike_train *train,
                                            vdi_error *err) {
    vdi_deepspike_desc d = m->desc;
    vdi_optim *fresh;
    d.train = *train;
    d = vdi_deepspike_desc_defaults(&d);
    vdi_status status = vdi_deepspike_desc_check(&d, err);
    if (status < 0) return status;
    const vdi_deepspike_train old = m->desc.train;
    m->desc.train = d.train;
    status = vdi__ds_optim(m, &fresh, err);
    if (status < 0) {
        m->desc.train = old;
        return status;
    }
    const vdi_state *from = vdi_optim_state(m->optim), *to = vdi_optim_state(fresh);
    for (int64_t i = 0; i < from->tensor_count; i++) {
        memcpy(to->tensors[i].tensor.data, from->tensors[i].tensor.data,
               vdi_tensor_bytes(from->tensors[i].tensor));
    }
    vdi_optim_destroy(m->optim);
    m->optim = fresh;
    return VDI_OK;
}
VDI__DEF void vdi_deepspike_restart(vdi_deepspike *m) {
    m->count[VDI__DS_STEP] = 0;
    vdi_optim_reset(m->optim);
}

/* ======== data ================================================================================ */

VDI__DEF void vdi_deepspike_data_destroy(vdi_deepspike_data *data) {
    if (!data) return;
    const vdi_allocator a = data->allocator;
    vdi_free(&a, data->block, data->bytes);
    vdi_free(&a, data, sizeof *data);
}
VDI__DEF int64_t vdi_deepspike_data_traces(const vdi_deepspike_data *data) { return data->traces; }
VDI__DEF int64_t vdi_deepspike_data_frames(const vdi_deepspike_data *data) { return data->frames; }
VDI__DEF int64_t vdi_deepspike_data_cells(const vdi_deepspike_data *data) { return data->cells; }
VDI__DEF double *vdi_deepspike_data_theta(vdi_deepspike_data *data, int64_t cell) {
    return data->theta + cell * data->theta_count;
}
VDI__DEF void vdi_deepspike_data_scale(const vdi_deepspike_data *data, int64_t cell, int signal,
                                       double *shift, double *scale) {
    *shift = data->scale[(cell * data->signals + signal) * 2];
    *scale = data->scale[(cell * data->signals + signal) * 2 + 1];
}

VDI__FN int vdi__ds_compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
VDI__FN double vdi__ds_quantile(double *v, int64_t n, double q) {
    if (n < 1) return 0;
    qsort(v, (size_t)n, sizeof *v, vdi__ds_compare);
    const double at = q * (double)(n - 1), low = floor(at);
    const int64_t i = (int64_t)low, j = VDI__MIN(i + 1, n - 1);
    return v[i] + (at - low) * (v[j] - v[i]);
}

/* Lower quartile to 0, noise (from the differences of neighbours, Gaussian quantile) to 0.1: one
 * shift and scale for all traces of a cell.
 */
VDI__FN void vdi__ds_measure(const vdi_deepspike_data *data, const double *raw, int64_t cell,
                             int signal, double *v, double *shift, double *scale) {
    int64_t n = 0, d = 0;
    for (int64_t i = 0; i < data->traces; i++) {
        for (int64_t t = 0; data->cell[i] == cell && t < data->length[i]; t++) {
            if (data->seen[i * data->frames + t])
                v[n++] = raw[(i * data->frames + t) * data->signals + signal];
        }
    }
    *shift = vdi__ds_quantile(v, n, 0.25);
    const double spread = vdi__ds_quantile(v, n, 0.99) - *shift;
    for (int64_t i = 0; i < data->traces; i++) {
        for (int64_t t = 1; data->cell[i] == cell && t < data->length[i]; t++) {
            if (data->seen[i * data->frames + t] && data->seen[i * data->frames + t - 1]) {
                v[d++] = fabs(raw[(i * data->frames + t) * data->signals + signal] -
                              raw[(i * data->frames + t - 1) * data->signals + signal]);
            }
        }
    }
    const double noise = 1.4826 * vdi__ds_quantile(v, d, 0.5) / sqrt(2.0);
    *scale = noise > 0 ? noise / 0.1 : spread > 0 ? spread : 1;
}

VDI__DEF vdi_status vdi_deepspike_data_create(const vdi_deepspike *m,
                                              const vdi_deepspike_data_desc *desc,
                                              vdi_deepspike_data **out, vdi_error *err) {
    static const char where[] = "vdi_deepspike_data_create";
    const vdi_deepspike_desc *md = &m->desc;
    const vdi_allocator *a = &md->allocator;
    const int streams = md->generative.streams, signals = streams;
    char text[VDI_SHAPE_TEXT];
    vdi_tensor y = desc->traces, label = desc->spikes;
    *out = NULL;
    if (!vdi_tensor_ok(y) || !y.data)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "traces are missing");
    const int need = signals > 1 ? 3 : 2;
    if (y.ndim == need - 1) { /* one trace */
        for (int i = y.ndim; i > 0; i--) {
            y.shape[i] = y.shape[i - 1];
            y.stride[i] = y.stride[i - 1];
        }
        y.shape[0] = 1;
        y.stride[0] = 0;
        y.ndim++;
    }
    if (y.ndim != need || (signals > 1 && y.shape[1] != signals) || y.shape[0] < 1 ||
        y.shape[need - 1] < 1) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "traces are %s, expected %s",
                             vdi_tensor_shape_text(desc->traces, text),
                             signals > 1 ? "(N,2,T)" : "(N,T) or (T)");
    }
    vdi_deepspike_data shape = VDI__ZERO, *data;
    const int64_t N = shape.traces = y.shape[0];
    const int64_t T = shape.frames = y.shape[need - 1];
    const int64_t P = shape.theta_count = md->generative.theta_count;
    shape.bins = T * md->upsample;
    shape.streams = streams;
    shape.signals = signals;
    shape.dtype = md->dtype;
    shape.cells = 0;
    for (int64_t i = 0; i < N; i++) {
        const int64_t c = desc->cell ? desc->cell[i] : i, n = desc->lengths ? desc->lengths[i] : T;
        if (c < 0 || c >= N) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "cell of trace %lld is %lld, expected 0 to %lld", (long long)i,
                                 (long long)c, (long long)(N - 1));
        }
        if (n < 1 || n > T) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "length of trace %lld is %lld, expected 1 to %lld", (long long)i,
                                 (long long)n, (long long)T);
        }
        shape.cells = VDI__MAX(shape.cells, c + 1);
    }
    vdi_tensor mask = desc->mask;
    if (mask.data && mask.ndim == 1 && N == 1) {
        mask.shape[1] = mask.shape[0];
        mask.stride[1] = mask.stride[0];
        mask.shape[0] = 1;
        mask.stride[0] = 0;
        mask.ndim = 2;
    }
    if (mask.data && (mask.ndim != 2 || mask.shape[0] != N || mask.shape[1] != T)) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "the mask is %s, expected (%lld,%lld)",
                             vdi_tensor_shape_text(desc->mask, text), (long long)N, (long long)T);
    }
    const bool labelled = label.data && vdi_tensor_ok(label);
    if (labelled && label.ndim == 1 && N == 1) {
        label.shape[1] = label.shape[0];
        label.stride[1] = label.stride[0];
        label.shape[0] = 1;
        label.stride[0] = 0;
        label.ndim = 2;
    }
    if (labelled && label.ndim == 2) { /* (N,bins) to (N,1,bins) */
        label.shape[2] = label.shape[1];
        label.stride[2] = label.stride[1];
        label.shape[1] = 1;
        label.stride[1] = 0;
        label.ndim = 3;
    }
    if (labelled && (label.ndim != 3 || label.shape[0] != N || label.shape[1] != streams ||
                     label.shape[2] != shape.bins)) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "spikes are %s, expected %lld traces of %d streams of %lld bins",
                             vdi_tensor_shape_text(desc->spikes, text), (long long)N, streams,
                             (long long)shape.bins);
    }
    const size_t C = (size_t)shape.cells;
    const size_t size = vdi_dtype_size(md->dtype);
    const size_t frames = (size_t)(N * T);
    const size_t part[] = {(size_t)N * sizeof(int64_t),
                           (size_t)N * sizeof(int64_t),
                           frames * (size_t)signals * size,
                           frames,
                           labelled ? (size_t)(N * streams * shape.bins) : 0,
                           C * (size_t)P * sizeof(double),
                           C * (size_t)P * sizeof(double),
                           C * 2 * sizeof(double),
                           C * (size_t)signals * 2 * sizeof(double)};
    size_t bytes = 0;
    for (size_t i = 0; i < VDI__COUNT(part); i++)
        bytes += vdi_align_size(part[i]);
    data = (vdi_deepspike_data *)vdi_alloc(a, sizeof *data);
    char *block = (char *)vdi_alloc(a, bytes);
    const size_t raw_bytes = 2 * frames * (size_t)signals * sizeof(double);
    double *raw = (double *)vdi_alloc(a, raw_bytes);
    double *room = raw ? raw + frames * (size_t)signals : NULL;
    if (!data || !block || !raw) {
        vdi_free(a, data, sizeof *data);
        vdi_free(a, block, bytes);
        vdi_free(a, raw, raw_bytes);
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu bytes", bytes);
    }
    memset(block, 0, bytes);
    *data = shape;
    data->allocator = *a;
    data->block = block;
    data->bytes = bytes;
    void *at[VDI__COUNT(part)];
    for (size_t i = 0; i < VDI__COUNT(part); i++) {
        at[i] = block;
        block += vdi_align_size(part[i]);
    }
    data->length = (int64_t *)at[0];
    data->cell = (int64_t *)at[1];
    data->x = at[2];
    data->seen = (unsigned char *)at[3];
    data->label = labelled ? (unsigned char *)at[4] : NULL;
    data->theta = (double *)at[5];
    data->theta_v = (double *)at[6];
    data->baseline = (double *)at[7];
    data->scale = (double *)at[8];
    vdi_status status = VDI_OK;
    for (int64_t i = 0; i < N; i++) {
        data->length[i] = desc->lengths ? desc->lengths[i] : T;
        data->cell[i] = desc->cell ? desc->cell[i] : i;
        int64_t seen = 0;
        for (int64_t t = 0; t < T; t++) {
            bool all = t < data->length[i];
            for (int k = 0; k < signals; k++) {
                int64_t index[3];
                index[0] = i;
                index[1] = signals > 1 ? k : t;
                index[2] = t;
                const double f = vdi_tensor_get(y, index);
                raw[(i * T + t) * signals + k] = f;
                all = all && f - f == 0;
            }
            data->seen[i * T + t] = all;
            seen += all;
        }
        if (!seen && status >= 0) {
            status = vdi_error_set(err, VDI_ERR_DATA, where, "trace %lld holds no finite number",
                                   (long long)i);
        }
        /* bridge what is missing: a straight line between its neighbours, the nearest value at the
         * ends */
        int64_t last = -1;
        for (int64_t t = 0; seen && t < data->length[i]; t++) {
            if (!data->seen[i * T + t]) continue;
            for (int64_t s = last + 1; s < t; s++) {
                for (int k = 0; k < signals; k++) {
                    const double to = raw[(i * T + t) * signals + k];
                    const double from = last < 0 ? to : raw[(i * T + last) * signals + k];
                    raw[(i * T + s) * signals + k] =
                        from + (to - from) * (double)(s - last) / (double)(t - last);
                }
            }
            last = t;
        }
        for (int64_t s = last + 1; seen && s < data->length[i]; s++) {
            for (int k = 0; k < signals; k++)
                raw[(i * T + s) * signals + k] = raw[(i * T + last) * signals + k];
        }
        for (int64_t t = 0; mask.data && t < T; t++) {
            int64_t index[2];
            index[0] = i;
            index[1] = t;
            if (vdi_tensor_get(mask, index) == 0) data->seen[i * T + t] = 0;
        }
    }
    for (int64_t c = 0; status >= 0 && c < data->cells; c++) {
        for (int64_t p = 0; p < P; p++)
            data->theta[c * P + p] = md->generative.theta_init[p];
        for (int k = 0; k < signals; k++) {
            double *s = data->scale + (c * signals + k) * 2;
            s[0] = 0;
            s[1] = 1;
            if (md->normalise) vdi__ds_measure(data, raw, c, k, room, &s[0], &s[1]);
        }
    }
    for (int64_t i = 0; status >= 0 && i < N; i++) {
        for (int64_t t = 0; t < data->length[i]; t++) {
            for (int k = 0; k < signals; k++) {
                const double *s = data->scale + (data->cell[i] * signals + k) * 2;
                vdi_dtype_store(md->dtype, data->x, (i * T + t) * signals + k,
                                (raw[(i * T + t) * signals + k] - s[0]) / s[1]);
            }
        }
        for (int64_t j = 0; labelled && j < streams * data->bins; j++) {
            int64_t index[3];
            index[0] = i;
            index[1] = j / data->bins;
            index[2] = j % data->bins;
            data->label[i * streams * data->bins + j] = vdi_tensor_get(label, index) > 0;
        }
    }
    vdi_free(a, raw, raw_bytes);
    if (status < 0) {
        vdi_deepspike_data_destroy(data);
        return status;
    }
    *out = data;
    return VDI_OK;
}

/* ======== state =============================================================================== */

VDI__FN const char *vdi__ds_list_text(char *text, size_t room, int32_t n, const int64_t *v) {
    size_t used = 0;
    for (int i = 0; i < n; i++)
        used += vdi_text_format(text + used, room - used, i ? ",%lld" : "%lld", (long long)v[i]);
    return text;
}

VDI__DEF const vdi_state *vdi_deepspike_state(vdi_deepspike *m, vdi_deepspike_data *data,
                                              bool training) {
    const vdi_deepspike_desc *d = &m->desc;
    const vdi_state *p = vdi_params_state(m->params);
    vdi_state *s = &m->state;
    int64_t n = 0, k = 0;
    for (int64_t i = 0; i < p->tensor_count; i++)
        m->tensors[n++] = p->tensors[i];
    if (data) {
        m->tensors[n].name = "cells.theta";
        m->tensors[n++].tensor =
            vdi_tensor_2d(data->theta, VDI_F64, data->cells, data->theta_count);
        m->tensors[n].name = "cells.scale";
        m->tensors[n++].tensor = vdi_tensor_3d(data->scale, VDI_F64, data->cells, data->signals, 2);
    }
    if (data && training) {
        m->tensors[n].name = "train.theta_v";
        m->tensors[n++].tensor =
            vdi_tensor_2d(data->theta_v, VDI_F64, data->cells, data->theta_count);
        m->tensors[n].name = "train.baseline";
        m->tensors[n++].tensor = vdi_tensor_2d(data->baseline, VDI_F64, data->cells, 2);
    }
    if (training) {
        const vdi_state *o = vdi_optim_state(m->optim);
        for (int64_t i = 0; i < o->tensor_count; i++)
            m->tensors[n++] = o->tensors[i];
        m->tensors[n].name = "train.count";
        m->tensors[n++].tensor = vdi_tensor_1d(m->count, VDI_I64, VDI__DS_COUNTS);
    }
    struct {
        const char *key;
        int64_t value;
    } number[] = {{"head_width", d->head_width},
                  {"features", d->features},
                  {"hidden", d->hidden},
                  {"upsample", d->upsample},
                  {"amplitude", d->amplitude},
                  {"normalise", d->normalise},
                  {"streams", d->generative.streams},
                  {"prior", (int64_t)d->prior}};
    struct {
        const char *key;
        double value;
    } real[] = {{"bias", d->bias},
                {"floor", d->floor},
                {"amplitude_spread", d->amplitude_spread},
                {"prior_rate_0", d->prior_rate[0]},
                {"prior_rate_1", d->prior_rate[1]}};
    m->meta[k].key = "model";
    m->meta[k++].value = "deepspike";
    m->meta[k].key = "posterior";
    m->meta[k++].value = d->posterior == VDI_DEEPSPIKE_CORRELATED ? "correlated" : "factorised";
    m->meta[k].key = "channels";
    m->meta[k].value = vdi__ds_list_text(m->text[k], sizeof m->text[0], d->layers, d->channels);
    k++;
    m->meta[k].key = "width";
    m->meta[k].value = vdi__ds_list_text(m->text[k], sizeof m->text[0], d->layers, d->width);
    k++;
    for (size_t i = 0; i < VDI__COUNT(number); i++, k++) {
        (void)vdi_text_format(m->text[k], sizeof m->text[0], "%lld", (long long)number[i].value);
        m->meta[k].key = number[i].key;
        m->meta[k].value = m->text[k];
    }
    for (size_t i = 0; i < VDI__COUNT(real); i++, k++) {
        (void)vdi_text_format(m->text[k], sizeof m->text[0], "%g", real[i].value);
        m->meta[k].key = real[i].key;
        m->meta[k].value = m->text[k];
    }
    s->tensors = m->tensors;
    s->tensor_count = n;
    s->meta = m->meta;
    s->meta_count = k;
    return s;
}

VDI__FN int vdi__ds_parse_list(const char *text, int64_t *out) {
    int n = 0;
    while (text && *text && n < VDI_DEEPSPIKE_LAYERS) {
        int64_t v = 0;
        if (*text < '0' || *text > '9') return 0;
        while (*text >= '0' && *text <= '9' && v < 1000000)
            v = v * 10 + (*text++ - '0');
        out[n++] = v;
        if (*text == ',') text++;
    }
    return n;
}
VDI__DEF vdi_status vdi_deepspike_desc_from_meta(const vdi_meta *meta, int64_t count,
                                                 vdi_deepspike_desc *out, vdi_error *err) {
    static const char where[] = "vdi_deepspike_desc_from_meta";
    vdi_deepspike_desc d = VDI__ZERO;
    bool ours = false;
    int widths = 0;
    for (int64_t i = 0; i < count; i++) {
        const char *key = meta[i].key, *v = meta[i].value;
        struct {
            const char *key;
            int64_t *to;
        } number[] = {{"head_width", &d.head_width},
                      {"features", &d.features},
                      {"hidden", &d.hidden},
                      {"upsample", &d.upsample}};
        struct {
            const char *key;
            double *to;
        } real[] = {{"bias", &d.bias},
                    {"floor", &d.floor},
                    {"amplitude_spread", &d.amplitude_spread},
                    {"prior_rate_0", &d.prior_rate[0]},
                    {"prior_rate_1", &d.prior_rate[1]}};
        for (size_t j = 0; j < VDI__COUNT(number); j++)
            if (strcmp(key, number[j].key) == 0) *number[j].to = strtoll(v, NULL, 10);
        for (size_t j = 0; j < VDI__COUNT(real); j++)
            if (strcmp(key, real[j].key) == 0) *real[j].to = strtod(v, NULL);
        if (strcmp(key, "bias") == 0) d.has_bias = true;
        if (strcmp(key, "model") == 0) ours = strcmp(v, "deepspike") == 0;
        if (strcmp(key, "posterior") == 0) {
            d.posterior =
                strcmp(v, "correlated") == 0 ? VDI_DEEPSPIKE_CORRELATED : VDI_DEEPSPIKE_FACTORISED;
        }
        if (strcmp(key, "channels") == 0) d.layers = vdi__ds_parse_list(v, d.channels);
        if (strcmp(key, "width") == 0) widths = vdi__ds_parse_list(v, d.width);
        if (strcmp(key, "amplitude") == 0) d.amplitude = strtol(v, NULL, 10) != 0;
        if (strcmp(key, "normalise") == 0) d.normalise = strtol(v, NULL, 10) != 0;
        if (strcmp(key, "prior") == 0)
            d.prior = strtol(v, NULL, 10) ? VDI_DEEPSPIKE_COUNT : VDI_DEEPSPIKE_BERNOULLI;
        if (strcmp(key, "streams") == 0) d.generative.streams = (int)strtol(v, NULL, 10);
    }
    if (!ours || d.layers < 1 || widths != d.layers) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "expected the metadata of a deepspike network, got %s",
                             ours ? "layers that do not fit together" : "another model's");
    }
    d.train.estimator = VDI_DEEPSPIKE_SUPERVISED; /* until somebody says what generates */
    *out = d;
    return VDI_OK;
}
#endif
