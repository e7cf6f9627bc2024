/* model/pretrained/pretrained.h - the pretrained network: spikes from any indicator at any frame
 * rate, without a setting
 *
 * Do this:
 *     #define VDI_PRETRAINED_WEIGHTS           before the include: brings vdi_pretrained_shipped
 *     #include "vdi.h"
 *     vdi_pretrained *net;
 *     if (vdi_pretrained_create(&vdi_pretrained_shipped, NULL, &net, &err) < 0) puts(err.message);
 *     vdi_pretrained_result r = VDI__ZERO;
 *     r.spikes = spikes;                       (frames): expected spikes of each frame
 *     size_t size = vdi_pretrained_memsize(net, frames, 30.0);
 *     void *work = malloc(size);
 *     if (vdi_pretrained_infer(net, VDI_F32, frames, trace, 30.0, work, size, &r, &err) < 0)
 *         puts(err.message);
 *     free(work);
 *     vdi_pretrained_destroy(net);
 *
 * The trace is preprocessed (prepare.h): missing frames are bridged or left out, a running baseline
 * is subtracted, the rest is divided by its standard deviation and resampled to 60 Hz.
 * 39 statistics of the whole trace (noise, autocorrelations, asymmetry, quantiles, the mean shape
 * of its steepest rises) say which indicator, preparation and frame rate this is; a small network
 * turns them into a scale and a shift for each channel of each layer, and these are folded into the
 * weights before the trace goes through, so conditioning costs nothing per sample. The network
 * itself (network.h) is a stem of stride 2, a branch at 7.5 Hz, a few dilated convolutions with
 * shortcuts at
 * 30 Hz, and a head with two 60 Hz samples per step: expected spikes, how far their number is
 * spread, and the trace without its noise. Several such networks (members), trained from different
 * seeds and on different populations of cells, are averaged.
 *
 * Units: expected spikes per frame k, which covers [k-1/2, k+1/2) / fps. The number of spikes in a
 * frame or a window of expectation M has the variance M + a M^2 (a negative binomial distribution;
 * a is the spread), which r.deviation gives. The scale of the trace does not matter (dF/F, per
 * cent, counts), nor does an added constant.
 *
 * Missing frames are NaN or infinite. Gaps of up to a second (or of two usual distances of measured
 * frames) are bridged by lines; longer ones have no spikes, and the pieces between them are read
 * with the statistics of all of them. So trials of one neuron are best passed as one trace with two
 * seconds of NaN between them. One frame that stands alone far above or below its neighbours is
 * taken for an artefact (at 15 Hz and above).
 *
 * What it does NOT do: sample trains (see deepspike/infer.h), or correct neuropil, motion or frames
 * dropped without a NaN. stream.h runs it frame by frame, with a delay of some two seconds.
 * Memory: create allocates; inference runs in the caller's block. Errors: statuses, see each
 * function. Threads: a network that is not being trained may be shared by threads, each with its
 * own work block.
 */
#ifndef VDI_MODEL_PRETRAINED_PRETRAINED_H
#define VDI_MODEL_PRETRAINED_PRETRAINED_H
#include "../../core/field.h"
#include "../../grad/layers.h"

/** The grid that the network works on, in Hz. */
#define VDI_PRETRAINED_GRID 60
/** Statistics of a trace that the network is conditioned on. */
#define VDI_PRETRAINED_STATS 39
/** Most members of a network. */
#define VDI_PRETRAINED_MEMBERS 4
/** Most layers of its branch at 7.5 Hz. */
#define VDI_PRETRAINED_CONTEXT 8
/** Most parameters of a network, all members together. */
#define VDI_PRETRAINED_PARAMS \
    (VDI_PRETRAINED_MEMBERS * (11 + VDI_LAYERS_MAX + VDI_PRETRAINED_CONTEXT))

/** The network's measures. All zero is the default. */
typedef struct vdi_pretrained_desc {
    int32_t channels;                 /**< of every layer */
    int32_t stem;                     /**< pairs of 60 Hz samples that the first layer sees, odd */
    int32_t width;                    /**< taps of the layers at 30 Hz, odd */
    int32_t layers;                   /**< how many of them */
    int32_t dilation[VDI_LAYERS_MAX]; /**< of each, in 1/30 s; 0 means 2^layer */
    int32_t context;                  /**< layers at 7.5 Hz, dilated by 2^layer */
    int32_t hidden;                   /**< units of the conditioning network */
    int32_t members;                  /**< networks of these measures whose results are averaged */
} vdi_pretrained_desc;
/** Its fields: defaults, ranges, text (core/field.h). */
VDI_API const vdi_fields *vdi_pretrained_desc_fields(void);
/** The filled description. */
VDI_API vdi_pretrained_desc vdi_pretrained_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_pretrained_desc_check(const vdi_pretrained_desc *d, vdi_error *err);

/** Weights as they are shipped: the parameters in their order (vdi_pretrained_declare), 8 bits
 * each, with a scale for each index of a
 *  parameter's last axis (an output channel; a bias is its scale). */
typedef struct vdi_pretrained_weights {
    vdi_pretrained_desc desc; /**< of the network that they are for */
    const float *scale;       /**< (last axes of all parameters): value = scale * word */
    const int8_t *word;       /**< (count) */
    int64_t count;            /**< of all words */
} vdi_pretrained_weights;

/** A network: an opaque object made by vdi_pretrained_create. */
typedef struct vdi_pretrained vdi_pretrained;
/** A network with the given weights. VDI_ERR_FORMAT if their number does not fit their
 * description. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_create(const vdi_pretrained_weights *w,
                                                       const vdi_allocator *a, vdi_pretrained **out,
                                                       vdi_error *err);
/** A network to be trained, or to be filled by a loader (vdi_params_state of its parameters):
 * weights drawn from `rng`. `d` NULL is all
 *  defaults. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_create_random(const vdi_pretrained_desc *d,
                                                              const vdi_allocator *a, vdi_rng *rng,
                                                              vdi_pretrained **out, vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_pretrained_destroy(vdi_pretrained *net);
/** Its parameters, live: to train, save or load. */
VDI_API vdi_params *vdi_pretrained_params(vdi_pretrained *net);
/** Its description, filled. */
VDI_API const vdi_pretrained_desc *vdi_pretrained_desc_of(const vdi_pretrained *net);
/** Round the parameters to the shipped form. Returns how many words; `scales` becomes how many
 * scales. Any pointer may be NULL. */
VDI_API int64_t vdi_pretrained_pack(const vdi_pretrained *net, int64_t *scales, float *scale,
                                    int8_t *word);

/** Where results go; any pointer may be NULL. Arrays have the dtype of the trace. */
typedef struct vdi_pretrained_result {
    void *spikes;      /**< (frames): expected spikes */
    void *deviation;   /**< (frames): standard deviation of the number of spikes */
    void *probability; /**< (frames): of at least one spike, as that distribution has it */
    void *denoised;    /**< (frames): the trace without its noise, in its own units */
    void *baseline;    /**< (frames): the running baseline that was taken off */
    void *grid;        /**< (vdi_pretrained_grid): expected spikes of each 1/60 s; sample k covers
                            [k-1/2, k+1/2) / 60 s */
    void *spread;      /**< (vdi_pretrained_grid): a of the variance M + a M^2 of a count */
    bool mark_missing; /**< in: NaN instead of 0 for spikes in long gaps, and for the denoised trace
                            and the baseline there, which are otherwise held */
    double noise;      /**< out: standard deviation of the white noise, in units of the trace */
    double scale;      /**< out: standard deviation of what is left above the baseline */
    double count;      /**< out: expected spikes of the whole trace */
    double unusual; /**< out: root mean square of the statistics in units of their spread over the
                            cells that the network was trained on: about 1 for such a cell */
} vdi_pretrained_result;
/** Samples of the 60 Hz grid for so many frames; at least 1. -1 if frames < 1, fps is not a
 * positive finite number, or the trace is
 *  longer than 10^9 samples. */
VDI_API int64_t vdi_pretrained_grid(int64_t frames, double fps);
/** Bytes that vdi_pretrained_infer needs; 0 where vdi_pretrained_grid is -1. */
VDI_API size_t vdi_pretrained_memsize(const vdi_pretrained *net, int64_t frames, double fps);
/** Infer one trace, F32 or F64. Frames that are not finite are bridged. A trace that is constant
 * (or of one frame) has no spikes.
 *  VDI_ERR_DATA if no frame is finite, VDI_ERR_MEMORY if `size` is too small; results are then
 *  untouched. */
VDI_API VDI_NODISCARD vdi_status vdi_pretrained_infer(const vdi_pretrained *net, vdi_dtype dtype,
                                                      int64_t frames, const void *trace, double fps,
                                                      void *work, size_t size,
                                                      vdi_pretrained_result *r, vdi_error *err);

#if defined(VDI_PRETRAINED_WEIGHTS) || !defined(VDI_STATIC)
/** The shipped weights, where the file with the implementation defines VDI_PRETRAINED_WEIGHTS too
 * (the compiled library does): no other file needs them then. */
VDI_API const vdi_pretrained_weights *vdi_pretrained_weights_shipped(void);
#endif
#if defined(VDI_PRETRAINED_WEIGHTS)
/* A file of its own, installed beside vdi.h, which also finds it in its own repository. */
#if !defined(VDI__SINGLE_FILE)
#define VDI__WEIGHTS "weights.h"
#elif !defined(__has_include)
#define VDI__WEIGHTS "vdi_weights.h"
#elif __has_include("vdi_weights.h")
#define VDI__WEIGHTS "vdi_weights.h"
#else
#define VDI__WEIGHTS "include/vdi/model/pretrained/weights.h"
#endif
#include VDI__WEIGHTS
#undef VDI__WEIGHTS
#endif

#endif /* VDI_MODEL_PRETRAINED_PRETRAINED_H */
