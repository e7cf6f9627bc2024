/* model/calcium/calcium.h - from spikes to fluorescence: generative models of calcium imaging, on
 * the tape and simulable
 *
 * Do this:
 *     vdi_calcium_desc desc = vdi_calcium_desc_defaults();
 *     double raw[VDI_CALCIUM_PARAMS], clean[300], f[300];
 *     desc.model = VDI_CALCIUM_SCDF;
 *     desc.bin = 1.0 / 60;
 *     vdi_calcium_initial(&desc, raw);
 *     if (vdi_calcium_sample(&desc, raw, VDI_F64, 300, spikes, 0.01, &rng, clean, f, &err) < 0)
 *         puts(err.message);
 *     vdi_var log_p;   on a tape: s (S,B,T), theta (P), f (B,T)
 *     vdi_var_calcium(t, &desc, s, theta, f_var, vdi_var_none(), NULL, &log_p);   log_p (S,B)
 *
 * s_t is the number of spikes in bin t (any number, and on the tape any real one >= 0), sg the
 * logistic function, sp(x) = log(1 + e^x). Every parameter is a raw, unconstrained number; its map
 * keeps it legal. e_t ~ N(0, sp(sigma)^2).
 *
 * The models are the rows of VDI_CALCIUM_LIST; the equations of each are at the head of its file
 * beside this one, and all in docs/guide/calcium.md. The simplest, FOOPSI's ar1, has the parameters
 * gamma, alpha, beta, sigma:
 *     c_t = s_t + sg(gamma) c_{t-1};  f_t = sp(alpha) c_t + beta + e_t
 *
 * Drift. With desc.drift = lambda > 0 the baseline is a random walk with steps of variance
 * sp(sigma)^2 / lambda from a flat start, and log p is exact: the walk is integrated out in O(T)
 * through M = W + lambda D'D, D the first difference, W the mask:
 *     log p = -(N-1)/2 log(2 pi sigma^2) - r'W(r - M^{-1}W r)/(2 sigma^2) + (T-1)/2 log lambda -
 *     1/2 log|M|,  N = sum W, r = f - model.
 * (Subtracting the smoothed residual and scoring the rest as white noise, as the published code
 * does, is desc.drift_white: then log p is no density any more, but no more is lost than a constant
 * where the walk is slow.)
 *
 * What counts: bins where the mask is not 0 and f is not NaN. Buffers at the ends of a snippet,
 * missing frames, and frames coarser than the bins of the spikes (f on the fine grid, NaN between)
 * are all said in this way. log p holds every constant and is in nats.
 *
 * Speed: one node, its recursions hand-written; lanes run over samples and cells, so hand over
 * (T,S,B) with desc.time_major to save two transpositions. What it does NOT do: learn (see
 * deepspike.h), estimate lambda, multiplicative drift.
 * Memory: from the tape. Errors: the tape's, or statuses. Threads: as the tape.
 */
#ifndef VDI_MODEL_CALCIUM_CALCIUM_H
#define VDI_MODEL_CALCIUM_CALCIUM_H
#include "../../core/field.h"
#include "../../core/rng.h"
#include "../../grad/params.h"
#include "../../grad/shape_ops.h"

/** The models, a row each: VDI_CALCIUM_<first> is the model's number, the second its name. A new
 * model is a row here and a file like ar.h, with its equations, its parameters and the row of
 * functions vdi__calcium_<name>. */
#define VDI_CALCIUM_LIST(ROW)                               \
    ROW(AR1, ar1)       /**< one decay */                   \
    ROW(AR2, ar2)       /**< a decay and a rise */          \
    ROW(SCDF, scdf)     /**< facilitation and saturation */ \
    ROW(MLPHYS, mlphys) /**< the physiological model */     \
    ROW(SPINE, spine)   /**< a dendrite and a spine on it */
/** One of them. */
typedef enum vdi_calcium_model {
#define VDI__CALCIUM_NUMBER(upper, lower) VDI_CALCIUM_##upper,
    VDI_CALCIUM_LIST(VDI__CALCIUM_NUMBER)
#undef VDI__CALCIUM_NUMBER
        VDI_CALCIUM_MODELS /**< how many there are */
} vdi_calcium_model;
/** The most parameters of one. */
#define VDI_CALCIUM_PARAMS 9

/** From the raw number to the one in the equations. */
typedef enum vdi_calcium_map {
    VDI_CALCIUM_IDENTITY = 0,
    VDI_CALCIUM_SIGMOID, /**< 1 / (1 + exp(-x)) */
    VDI_CALCIUM_SOFTPLUS /**< log(1 + exp(x)) */
} vdi_calcium_map;

/** One parameter of a model. */
typedef struct vdi_calcium_param {
    const char *name;    /**< as in the equations */
    vdi_calcium_map map; /**< from raw to natural */
    double initial;      /**< raw, at 60 bins a second; vdi_calcium_initial adapts what is counted
                              in bins */
    double low, high;    /**< raw range of the published simulations, at 60 bins a second */
    bool per_bin;        /**< a factor per bin: depends on the bin's width */
    const char *meaning; /**< what it is, and its unit */
} vdi_calcium_param;

/** Which model, on which bins. All zero is AR(1) at 60 Hz without drift. */
typedef struct vdi_calcium_desc {
    vdi_calcium_model model; /**< which one */
    double bin;              /**< width of a bin, seconds; 0 means 1/60 */
    double drift;            /**< lambda of the baseline's walk; 0: a constant baseline */
    bool drift_white;        /**< score what the smoother leaves as white noise; see above */
    bool time_major; /**< arrays on the tape are (T,S,B) and (T,B) instead of (S,B,T) and (B,T) */
} vdi_calcium_desc;

/** Its fields: defaults, ranges, text (core/field.h). */
VDI_API const vdi_fields *vdi_calcium_desc_fields(void);
/** The filled description. */
VDI_API vdi_calcium_desc vdi_calcium_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_calcium_desc_check(const vdi_calcium_desc *desc, vdi_error *err);
/** "ar1", "ar2" ...; NULL for none of them. */
VDI_API const char *vdi_calcium_name(vdi_calcium_model model);
/** The model of that name ("linear" is "ar1" too); false if there is none. */
VDI_API bool vdi_calcium_find(const char *name, vdi_calcium_model *model);
/** The parameters (*count of them), in the order of theta. */
VDI_API const vdi_calcium_param *vdi_calcium_params(vdi_calcium_model model, int *count);
/** Streams of spikes and of fluorescence: 2 for the spine, else 1; 0 for no model. */
VDI_API int vdi_calcium_streams(vdi_calcium_model model);
/** The number in the equations from the raw one, and back (clamped to what the map can give). */
VDI_API double vdi_calcium_natural(vdi_calcium_map map, double raw);
VDI_API double vdi_calcium_raw(vdi_calcium_map map, double natural);
/** Where fitting begins: raw (P). Decays keep their time constants whatever the bin. */
VDI_API void vdi_calcium_initial(const vdi_calcium_desc *desc, double *raw);
/** A cell of the published simulations: raw (P), uniform on the ranges (the noise uniform as a
 * standard deviation). */
VDI_API void vdi_calcium_draw(const vdi_calcium_desc *desc, vdi_rng *rng, double *raw);
/** Spikes to fluorescence. raw (P); spikes, clean and f (C,T) of dtype, C = streams; `clean`
 * without noise, or NULL; f with noise and a
 *  baseline that walks by steps of standard deviation `walk` per bin from 0, or NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_calcium_sample(const vdi_calcium_desc *desc, const double *raw,
                                                    vdi_dtype dtype, int64_t T, const void *spikes,
                                                    double walk, vdi_rng *rng, void *clean, void *f,
                                                    vdi_error *err);

/** log p(f | spikes, theta) on the tape. spikes (S,B,T), theta (P), (B,P) or (S,B,P) raw, f and
 * mask (B,T) without gradients (mask may be
 *  the null variable); one dtype. *trace (may be NULL: then it costs nothing): the fluorescence
 *  without noise and drift, (S,B,T); *log_p (S,B), differentiable in spikes and theta. For the
 *  spine spikes are (2,S,B,T), f and mask (2,B,T), the trace (2,S,B,T), and log p is the sum over
 *  both traces; the first stream is b and the dendrite. With desc.time_major: (T,S,B), (T,B). */
VDI_API vdi_status vdi_var_calcium(vdi_tape *t, const vdi_calcium_desc *desc, vdi_var spikes,
                                   vdi_var theta, vdi_var f, vdi_var mask, vdi_var *trace,
                                   vdi_var *log_p);

/* ---- a model of your own --------------------------------------------------------------------- */

/** What a generative model is told about a batch. */
typedef struct vdi_calcium_info {
    int64_t samples, batch, T; /**< S, B, T */
    int streams;               /**< 1, or 2: then all arrays have a leading axis of 2 */
    const int64_t *cell;       /**< (B): which cell each row is from; NULL: all from cell 0 */
    double bin;                /**< seconds */
    bool time_major;           /**< spikes are (T,S,B), f and mask (T,B) */
} vdi_calcium_info;
/** log p(f | s, theta), (S,B) in nats, differentiable in s where a relaxed estimator is to be used.
 * *trace (may be NULL) receives the
 *  fluorescence without noise if the model has such a thing. */
typedef vdi_var (*vdi_fluorescence_fn)(vdi_tape *t, vdi_var spikes, vdi_var f, vdi_var mask,
                                       const vdi_calcium_info *info, vdi_var *trace, void *user);
/** The models of this file behind that interface: `user` of vdi_calcium_fluorescence. */
typedef struct vdi_calcium_cells {
    vdi_calcium_desc desc;  /**< its layout and bin are taken from info */
    const vdi_param *theta; /**< (cells,P) raw, or (P) */
} vdi_calcium_cells;
/** A vdi_fluorescence_fn: row b has the parameters theta[info->cell[b]]. */
VDI_API vdi_var vdi_calcium_fluorescence(vdi_tape *t, vdi_var spikes, vdi_var f, vdi_var mask,
                                         const vdi_calcium_info *info, vdi_var *trace, void *user);

#endif /* VDI_MODEL_CALCIUM_CALCIUM_H */

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && \
    !defined(VDI_MODEL_CALCIUM_CALCIUM_C)
#define VDI_MODEL_CALCIUM_CALCIUM_C

/* ======== a row of functions for each model ======================================================
 * Everything on the tape is time-major: row t holds n = S B lanes, lane s B + b. One time step is a
 * handful of row operations on the kernels' own tables, so the recursions run in lanes and what has
 * no recursion (powers, exponentials) runs over whole arrays. Parameters are rows too, which makes
 * one cell for all, a cell per row of the batch and a parameter set per sample one code. */

enum { VDI__CALCIUM_STREAMS = 2, VDI__CALCIUM_TERMS = 2, VDI__CALCIUM_STATES = 6 };

/* What is read out in a stream: y = beta + sum of amplitude times state, and its noise. All but
 * `state` and `terms` are places of parameters. */
typedef struct vdi__calcium_readout {
    int terms, amplitude[VDI__CALCIUM_TERMS], state[VDI__CALCIUM_TERMS], beta, sigma;
} vdi__calcium_readout;

typedef struct vdi__calcium_ops vdi__calcium_ops;

/* A batch on the tape, from forward to backward. */
typedef struct vdi__calcium_note {
    vdi_calcium_desc desc; /* filled */
    const vdi__calcium_ops *ops;
    const vdi__kernels *k;
    vdi_dtype dtype;
    int64_t S, B, T;
    size_t n, row; /* lanes, and bytes of a row of them */
    int64_t R;     /* rows of theta: 1, B or S B */
    bool want_trace;
    /* what stays from forward to backward, in the memory that the node saves */
    char *parameters;                    /* (P,n), natural */
    char *state[VDI__CALCIUM_STATES];    /* (T,n) each */
    char *error[VDI__CALCIUM_STREAMS];   /* (T,n): dlog p / dmodel, times sigma^2 */
    char *power[VDI__CALCIUM_STREAMS];   /* (n): r'W(r - M^{-1}W r) */
    double *count[VDI__CALCIUM_STREAMS]; /* (B): how often log sigma counts */
} vdi__calcium_note;

/* The loss's derivatives, collected from the last bin to the first. */
typedef struct vdi__calcium_adjoint {
    char *readout;                      /* (n): by what is read out in this bin and stream */
    char *parameters;                   /* (P,n): by the natural parameters */
    char *spikes[VDI__CALCIUM_STREAMS]; /* (T,n) each, NULL where nobody asks */
    char *carry[3];                     /* (n): what the model hands from bin t + 1 to bin t */
    char *scratch[4];                   /* (n) each */
} vdi__calcium_adjoint;

/* The row of a model. */
struct vdi__calcium_ops {
    const char *name, *alias; /* alias: NULL or another name that vdi_calcium_find takes */
    const vdi_calcium_param *params;
    int count, streams, states;
    vdi__calcium_readout readout[VDI__CALCIUM_STREAMS];
    int spikes_at[VDI__CALCIUM_STREAMS]; /* the state in which a stream's spikes are handed over */
    /* One bin of one cell, plainly: q natural parameters, `state` (6) from the bin before, 0 at
     * first, s the spikes of each stream; y what is read out without beta. */
    void (*step)(const double *q, double bin, const double *s, double *state, double *y);
    /* All states from the spikes. `scratch`: two rows. */
    void (*forward)(const vdi__calcium_note *u, char *scratch);
    /* From a->readout to parameters, spikes and carries: bin t of `stream`. The amplitudes' own
     * derivatives are taken already. Bins come from the last to the first, streams in order. */
    void (*backward_bin)(const vdi__calcium_note *u, int64_t t, int stream,
                         vdi__calcium_adjoint *a);
    /* What stands outside of the sum over time; may be NULL. */
    void (*finish)(const vdi__calcium_note *u, vdi__calcium_adjoint *a);
};

/* The row of a model; NULL for none of them. Its body is in likelihood.h, behind all rows. */
VDI__FN const vdi__calcium_ops *vdi__calcium_of(vdi_calcium_model model);

/* ---- rows of lanes --------------------------------------------------------------------------- */

/* Row t of an array (T,n). */
VDI__INLINE char *vdi__calcium_row(const vdi__calcium_note *u, const char *array, int64_t t) {
    return (char *)(uintptr_t)array + (size_t)t * u->row;
}
/* The row of natural parameter i, and of its derivative. */
VDI__INLINE const char *vdi__calcium_parameter(const vdi__calcium_note *u, int i) {
    return u->parameters + (size_t)i * u->row;
}
VDI__INLINE char *vdi__calcium_gradient(const vdi__calcium_note *u, const vdi__calcium_adjoint *a,
                                        int i) {
    return a->parameters + (size_t)i * u->row;
}
VDI__FN void vdi__calcium_mul(const vdi__calcium_note *u, const void *a, const void *b, void *y) {
    u->k->binary[VDI_MUL](u->n, a, 1, b, 1, y);
}
VDI__FN void vdi__calcium_sub(const vdi__calcium_note *u, const void *a, const void *b, void *y) {
    u->k->binary[VDI_SUB](u->n, a, 1, b, 1, y);
}
VDI__FN void vdi__calcium_div(const vdi__calcium_note *u, const void *a, const void *b, void *y) {
    u->k->binary[VDI_DIV](u->n, a, 1, b, 1, y);
}
/* y += x */
VDI__FN void vdi__calcium_add(const vdi__calcium_note *u, const void *x, void *y) {
    u->k->axpby(u->n, 1, x, 1, y);
}
/* y += a b */
VDI__FN void vdi__calcium_muladd(const vdi__calcium_note *u, const void *a, const void *b,
                                 void *y) {
    u->k->muladd(u->n, a, 1, b, 1, y);
}

/* c_t += g c_{t-1}, in place on c = s */
VDI__FN void vdi__calcium_decay(const vdi__calcium_note *u, const char *g, char *c) {
    for (int64_t t = 1; t < u->T; t++) {
        vdi__calcium_muladd(u, g, vdi__calcium_row(u, c, t - 1), vdi__calcium_row(u, c, t));
    }
}

/* One bin of that decay's adjoint: carry = g carry + dc_t, and what it means for g and for the
 * spikes (NULL where nobody asks). */
VDI__FN void vdi__calcium_decay_back(const vdi__calcium_note *u, int64_t t, const char *g,
                                     const char *c, const char *dc, char *carry, char *dg,
                                     char *spikes) {
    vdi__calcium_mul(u, g, carry, carry);
    vdi__calcium_add(u, dc, carry);
    if (t) vdi__calcium_muladd(u, carry, vdi__calcium_row(u, c, t - 1), dg);
    if (spikes) vdi__calcium_add(u, carry, vdi__calcium_row(u, spikes, t));
}
#endif
