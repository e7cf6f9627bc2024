/* model/calcium/calcium.h - from spikes to fluorescence: generative models of calcium imaging, on
 * the tape and simulable
 *
 * Do this:
 *     vdi_calcium_desc desc = vdi_calcium_desc_defaults();
 *     double raw[VDI_CALCIUM_PARAMS], clean[300], f[300];
 *     desc.model = VDI_CALCIUM_SCDF, desc.bin = 1.0 / 60;
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
 * VDI_CALCIUM_AR1      gamma alpha beta sigma. FOOPSI's model (Vogelstein et al. 2010):
 *     c_t = s_t + sg(gamma) c_{t-1};  f_t = sp(alpha) c_t + beta + e_t
 * VDI_CALCIUM_AR2      gamma rho alpha beta sigma. A decay and a rise in a row (an AR(2) process
 *                      whose two roots are the factors):
 *     c_t as above;  d_t = (1 - sg(rho)) c_t + sg(rho) d_{t-1};  f_t = sp(alpha) d_t + beta + e_t
 * VDI_CALCIUM_SCDF     gamma kappa eta zeta dmax alpha beta sigma. Facilitation and saturation
 *                      (Speiser et al. 2017):
 *     c_t as above;  m = min(d_{t-1}, sp(dmax));
 *     d_t = sp(eta) c_t^(1 + sp(zeta)) (sp(dmax) - m) + sg(kappa) m;  f_t = sp(alpha) d_t + ...
 * VDI_CALCIUM_MLPHYS   tau c0 hill gamma kappa alpha beta sigma. Deneux et al. 2016 in discrete
 *                      time, bin width delta:
 *     c_t = s_t + exp(-delta / sp(tau)) c_{t-1};  u = (sp(c0) + c_t)^sp(hill) - sp(c0)^sp(hill);
 *     a = 1 + sp(gamma) u
 *     d_t = u/a + (d_{t-1} - u/a) exp(-a delta / sp(kappa));  f_t = sp(alpha) d_t + ...
 *     The rise is the exact solution of d' = (u - a d)/sp(kappa) over the bin with u held, for bins
 *     of any width; the usual Euler step is its first order, and needs delta much smaller than the
 *     rise time sp(kappa).
 * VDI_CALCIUM_SPINE    gamma_d alpha_d beta_d sigma_d gamma_s alpha_b alpha_y beta_s sigma_s. Two
 *                      traces, of a dendrite and of a spine on
 *     it, and two streams of spikes, back-propagating b and synaptic y (the spine sees both):
 *     f^d = sp(alpha_d) AR(gamma_d) b + beta_d + e;
 *     f^s = AR(gamma_s)(sp(alpha_b) b + sp(alpha_y) y) + beta_s + e'
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
#include "../../core/rng.h"
#include "../../grad/params.h"
#include "../../grad/shape_ops.h"

/** The models; the equations stand at the head of this file. */
typedef enum vdi_calcium_model {
    VDI_CALCIUM_AR1 = 0,
    VDI_CALCIUM_AR2,
    VDI_CALCIUM_SCDF,
    VDI_CALCIUM_MLPHYS,
    VDI_CALCIUM_SPINE
} vdi_calcium_model;
/** How many there are, and the most parameters of one. */
#define VDI_CALCIUM_MODELS 5
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

/** The filled description. */
VDI_API vdi_calcium_desc vdi_calcium_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_calcium_desc_check(const vdi_calcium_desc *desc, vdi_error *err);
/** "ar1", "ar2", "scdf", "mlphys", "spine"; NULL for none of them. */
VDI_API const char *vdi_calcium_name(vdi_calcium_model model);
/** The model of that name ("linear" is "ar1" too); false if there is none. */
VDI_API bool vdi_calcium_find(const char *name, vdi_calcium_model *model);
/** The parameters (*count of them), in the order of theta. */
VDI_API const vdi_calcium_param *vdi_calcium_params(vdi_calcium_model model, int *count);
/** Streams of spikes and of fluorescence: 2 for the spine, else 1. */
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

/* ======== the parameters =========================================================================
 * Initial values and ranges: those of the published notebooks (noise was drawn as a standard
 * deviation there: its range is the raw number of it). Where a quantity has to be positive and was
 * free in the published code (tau, hill, dmax), softplus keeps it so, and the raw numbers below
 * give the published natural ones. */

static const vdi_calcium_param vdi__calcium_ar1[] = {
    {"gamma", VDI_CALCIUM_SIGMOID, 3.5, 2.75, 4.6, true, "decay per bin"},
    {"alpha", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false, "fluorescence of one spike"},
    {"beta", VDI_CALCIUM_IDENTITY, -0.3, -0.3, -0.3, false, "baseline"},
    {"sigma", VDI_CALCIUM_SOFTPLUS, -2.5, -2.624056, -1.821183, false,
     "standard deviation of the noise"},
};
static const vdi_calcium_param vdi__calcium_ar2[] = {
    {"gamma", VDI_CALCIUM_SIGMOID, 3.5, 2.75, 4.6, true, "decay per bin"},
    {"rho", VDI_CALCIUM_SIGMOID, 1, 0, 2, true,
     "rise per bin: what is left of the gap to the calcium"},
    {"alpha", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false, "fluorescence per unit of d"},
    {"beta", VDI_CALCIUM_IDENTITY, -0.3, -0.3, -0.3, false, "baseline"},
    {"sigma", VDI_CALCIUM_SOFTPLUS, -2.5, -2.624056, -1.821183, false,
     "standard deviation of the noise"},
};
static const vdi_calcium_param vdi__calcium_scdf[] = {
    {"gamma", VDI_CALCIUM_SIGMOID, 3, 2.5, 3.5, true, "decay of calcium per bin"},
    {"kappa", VDI_CALCIUM_SIGMOID, 2, 2, 2.5, true, "decay of the bound dye per bin"},
    {"eta", VDI_CALCIUM_SOFTPLUS, -5, -5.9, -4.9, false, "binding"},
    {"zeta", VDI_CALCIUM_SOFTPLUS, 0.8, 0.5, 1, false, "exponent above 1"},
    {"dmax", VDI_CALCIUM_SOFTPLUS, 5.997518, 5.495905, 6.498495, false, "saturation"},
    {"alpha", VDI_CALCIUM_SOFTPLUS, 0.7, 0.2, 0.5, false, "fluorescence per unit of bound dye"},
    {"beta", VDI_CALCIUM_IDENTITY, -0.2, -0.2, -0.2, false, "baseline"},
    {"sigma", VDI_CALCIUM_SOFTPLUS, -4, -3.902006, -2.970628, false,
     "standard deviation of the noise"},
};
static const vdi_calcium_param vdi__calcium_mlphys[] = {
    {"tau", VDI_CALCIUM_SOFTPLUS, 1.702618, -0.432752, 1.854587, false,
     "decay time of calcium, seconds"},
    {"c0", VDI_CALCIUM_SOFTPLUS, 0.83, -2.252168, 1.854587, false,
     "calcium at rest, in units of one spike"},
    {"hill", VDI_CALCIUM_SOFTPLUS, 1.667053, 0.541325, 2.252168, false, "Hill exponent"},
    {"gamma", VDI_CALCIUM_SOFTPLUS, -4.8, -5.9, -2.252168, false, "saturation"},
    {"kappa", VDI_CALCIUM_SOFTPLUS, -2.62, -3.902006, -1.507772, false,
     "rise time of the dye, seconds"},
    {"alpha", VDI_CALCIUM_SOFTPLUS, -1.15, -2.252168, -0.432752, false,
     "fluorescence per unit of d"},
    {"beta", VDI_CALCIUM_IDENTITY, 0, 0, 0, false, "baseline"},
    {"sigma", VDI_CALCIUM_SOFTPLUS, -3.5, -3.902006, -2.252168, false,
     "standard deviation of the noise"},
};
static const vdi_calcium_param vdi__calcium_spine[] = {
    {"gamma_d", VDI_CALCIUM_SIGMOID, 3.5, 2.75, 4.6, true, "decay in the dendrite per bin"},
    {"alpha_d", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false,
     "fluorescence of a back-propagating spike in the dendrite"},
    {"beta_d", VDI_CALCIUM_IDENTITY, -0.3, -0.3, -0.3, false, "baseline of the dendrite"},
    {"sigma_d", VDI_CALCIUM_SOFTPLUS, -2.5, -2.624056, -1.821183, false,
     "noise of the dendrite, standard deviation"},
    {"gamma_s", VDI_CALCIUM_SIGMOID, 3.5, 2.75, 4.6, true, "decay in the spine per bin"},
    {"alpha_b", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false,
     "fluorescence of a back-propagating spike in the spine"},
    {"alpha_y", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false,
     "fluorescence of a synaptic event in the spine"},
    {"beta_s", VDI_CALCIUM_IDENTITY, -0.3, -0.3, -0.3, false, "baseline of the spine"},
    {"sigma_s", VDI_CALCIUM_SOFTPLUS, -2.5, -2.624056, -1.821183, false,
     "noise of the spine, standard deviation"},
};
/* where a model's parameters stand */
enum { VDI__AR_GAMMA = 0, VDI__AR1_ALPHA = 1, VDI__AR2_RHO = 1, VDI__AR2_ALPHA = 2 };
enum { VDI__SCDF_KAPPA = 1, VDI__SCDF_ETA, VDI__SCDF_ZETA, VDI__SCDF_DMAX, VDI__SCDF_ALPHA };
enum {
    VDI__PHYS_TAU = 0,
    VDI__PHYS_C0,
    VDI__PHYS_HILL,
    VDI__PHYS_GAMMA,
    VDI__PHYS_KAPPA,
    VDI__PHYS_ALPHA
};
enum {
    VDI__SPINE_GAMMA_D = 0,
    VDI__SPINE_ALPHA_D,
    VDI__SPINE_BETA_D,
    VDI__SPINE_SIGMA_D,
    VDI__SPINE_GAMMA_S,
    VDI__SPINE_ALPHA_B,
    VDI__SPINE_ALPHA_Y
};

VDI__DEF const vdi_calcium_param *vdi_calcium_params(vdi_calcium_model model, int *count) {
    static const vdi_calcium_param *const list[VDI_CALCIUM_MODELS] = {
        vdi__calcium_ar1, vdi__calcium_ar2, vdi__calcium_scdf, vdi__calcium_mlphys,
        vdi__calcium_spine};
    static const int counts[VDI_CALCIUM_MODELS] = {4, 5, 8, 8, 9};
    if ((unsigned)model >= VDI_CALCIUM_MODELS) return NULL;
    if (count) *count = counts[model];
    return list[model];
}

static const char *const vdi__calcium_names[VDI_CALCIUM_MODELS] = {"ar1", "ar2", "scdf", "mlphys",
                                                                   "spine"};

VDI__DEF const char *vdi_calcium_name(vdi_calcium_model model) {
    return (unsigned)model < VDI_CALCIUM_MODELS ? vdi__calcium_names[model] : NULL;
}

VDI__DEF bool vdi_calcium_find(const char *name, vdi_calcium_model *model) {
    int found = strcmp(name, "linear") == 0 ? 0 : -1;
    for (int i = 0; i < VDI_CALCIUM_MODELS; i++)
        if (!strcmp(name, vdi__calcium_names[i])) found = i;
    if (found >= 0) *model = (vdi_calcium_model)found;
    return found >= 0;
}

VDI__DEF int vdi_calcium_streams(vdi_calcium_model model) {
    return model == VDI_CALCIUM_SPINE ? 2 : 1;
}

VDI__DEF double vdi_calcium_natural(vdi_calcium_map map, double raw) {
    if (map == VDI_CALCIUM_SIGMOID) return 1 / (1 + exp(-raw));
    if (map == VDI_CALCIUM_SOFTPLUS) return raw > 0 ? raw + log1p(exp(-raw)) : log1p(exp(raw));
    return raw;
}

/* the derivative of the map, from its value */
VDI__FN double vdi__calcium_slope(vdi_calcium_map map, double natural) {
    if (map == VDI_CALCIUM_SIGMOID) return natural * (1 - natural);
    if (map == VDI_CALCIUM_SOFTPLUS) return -expm1(-natural);
    return 1;
}

VDI__DEF double vdi_calcium_raw(vdi_calcium_map map, double natural) {
    if (map == VDI_CALCIUM_SIGMOID) {
        const double p = VDI__MIN(VDI__MAX(natural, 1e-12), 1 - 1e-12);
        return log(p / (1 - p));
    }
    if (map == VDI_CALCIUM_SOFTPLUS) {
        const double y = VDI__MAX(natural, 1e-12);
        return y + log(-expm1(-y));
    }
    return natural;
}

VDI__DEF vdi_calcium_desc vdi_calcium_desc_defaults(void) {
    vdi_calcium_desc d = VDI__ZERO;
    d.bin = 1.0 / 60;
    return d;
}

VDI__DEF vdi_status vdi_calcium_desc_check(const vdi_calcium_desc *desc, vdi_error *err) {
    static const char where[] = "vdi_calcium_desc";
    if ((unsigned)desc->model >= VDI_CALCIUM_MODELS) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "model is %d, expected 0 to %d",
                             (int)desc->model, VDI_CALCIUM_MODELS - 1);
    }
    if (!(desc->bin >= 0 && desc->bin <= 3600)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "bin is %g seconds, expected more than 0 and at most 3600", desc->bin);
    }
    if (!(desc->drift >= 0 && desc->drift <= 1e12)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "drift is %g, expected 0 to 1e12",
                             desc->drift);
    }
    return VDI_OK;
}

VDI__FN double vdi__calcium_bin(const vdi_calcium_desc *desc) {
    return desc->bin > 0 ? desc->bin : 1.0 / 60;
}

/* A factor per bin of 1/60 s as one per bin of this description: the time constant stays. */
VDI__FN double vdi__calcium_rebin(const vdi_calcium_desc *desc, const vdi_calcium_param *p,
                                  double raw) {
    const double factor = 60 * vdi__calcium_bin(desc);
    if (!p->per_bin || factor == 1) return raw;
    return vdi_calcium_raw(p->map, pow(vdi_calcium_natural(p->map, raw), factor));
}

VDI__DEF void vdi_calcium_initial(const vdi_calcium_desc *desc, double *raw) {
    int count = 0;
    const vdi_calcium_param *p = vdi_calcium_params(desc->model, &count);
    for (int i = 0; i < count; i++)
        raw[i] = vdi__calcium_rebin(desc, &p[i], p[i].initial);
}

VDI__DEF void vdi_calcium_draw(const vdi_calcium_desc *desc, vdi_rng *rng, double *raw) {
    int count = 0;
    const vdi_calcium_param *p = vdi_calcium_params(desc->model, &count);
    for (int i = 0; i < count; i++) {
        const double u = vdi_rng_uniform(rng);
        if (!strncmp(p[i].name, "sigma", 5)) {
            const double low = vdi_calcium_natural(p[i].map, p[i].low);
            const double high = vdi_calcium_natural(p[i].map, p[i].high);
            raw[i] = vdi_calcium_raw(p[i].map, low + u * (high - low));
        } else {
            raw[i] = vdi__calcium_rebin(desc, &p[i], p[i].low + u * (p[i].high - p[i].low));
        }
    }
}

/* ======== one cell, plainly =================================================================== */

VDI__DEF vdi_status vdi_calcium_sample(const vdi_calcium_desc *desc, const double *raw,
                                       vdi_dtype dtype, int64_t T, const void *spikes, double walk,
                                       vdi_rng *rng, void *clean, void *f, vdi_error *err) {
    static const char where[] = "vdi_calcium_sample";
    double q[VDI_CALCIUM_PARAMS], c[3] = {0, 0, 0}, d = 0;
    int count = 0;
    vdi_status status = vdi_calcium_desc_check(desc, err);
    if (status < 0) return status;
    if (!vdi_dtype_is_real(dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where, "dtype is %s, expected float32 or float64",
                             vdi_dtype_name(dtype));
    }
    if (f && !rng)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "f needs a generator for its noise");
    const vdi_calcium_param *p = vdi_calcium_params(desc->model, &count);
    for (int i = 0; i < count; i++) {
        q[i] = vdi_calcium_natural(p[i].map, raw[i]);
        if (!isfinite(q[i]))
            return vdi_error_set(err, VDI_ERR_DATA, where, "%s is %g", p[i].name, raw[i]);
    }
    const double bin = vdi__calcium_bin(desc);
    const int streams = vdi_calcium_streams(desc->model);
    double base[2] = {0, 0};
    for (int64_t t = 0; t < T; t++) {
        double y[2] = {0, 0};
        const double s = vdi_dtype_load(dtype, spikes, t);
        switch (desc->model) {
        case VDI_CALCIUM_AR1:
            c[0] = s + q[VDI__AR_GAMMA] * c[0];
            y[0] = q[VDI__AR1_ALPHA] * c[0];
            break;
        case VDI_CALCIUM_AR2:
            c[0] = s + q[VDI__AR_GAMMA] * c[0];
            d = (1 - q[VDI__AR2_RHO]) * c[0] + q[VDI__AR2_RHO] * d;
            y[0] = q[VDI__AR2_ALPHA] * d;
            break;
        case VDI_CALCIUM_SCDF: {
            const double top = q[VDI__SCDF_DMAX], m = VDI__MIN(d, top);
            c[0] = s + q[VDI__AR_GAMMA] * c[0];
            d = q[VDI__SCDF_ETA] * pow(c[0], 1 + q[VDI__SCDF_ZETA]) * (top - m) +
                q[VDI__SCDF_KAPPA] * m;
            y[0] = q[VDI__SCDF_ALPHA] * d;
            break;
        }
        case VDI_CALCIUM_MLPHYS: {
            c[0] = s + exp(-bin / q[VDI__PHYS_TAU]) * c[0];
            const double u = pow(q[VDI__PHYS_C0] + c[0], q[VDI__PHYS_HILL]) -
                             pow(q[VDI__PHYS_C0], q[VDI__PHYS_HILL]);
            const double a = 1 + q[VDI__PHYS_GAMMA] * u;
            d = u / a + (d - u / a) * exp(-a * bin / q[VDI__PHYS_KAPPA]);
            y[0] = q[VDI__PHYS_ALPHA] * d;
            break;
        }
        case VDI_CALCIUM_SPINE: {
            const double z = vdi_dtype_load(dtype, spikes, T + t);
            c[0] = s + q[VDI__SPINE_GAMMA_D] * c[0];
            c[1] = q[VDI__SPINE_ALPHA_B] * s + q[VDI__SPINE_ALPHA_Y] * z +
                   q[VDI__SPINE_GAMMA_S] * c[1];
            y[0] = q[VDI__SPINE_ALPHA_D] * c[0];
            y[1] = c[1];
            break;
        }
        }
        for (int k = 0; k < streams; k++) {
            const double beta = q[streams == 2 && k == 0 ? VDI__SPINE_BETA_D : count - 2];
            const double sigma = q[streams == 2 && k == 0 ? VDI__SPINE_SIGMA_D : count - 1];
            if (clean) vdi_dtype_store(dtype, clean, k * T + t, y[k] + beta);
            if (!f) continue;
            if (t) base[k] += walk * vdi_rng_normal(rng);
            vdi_dtype_store(dtype, f, k * T + t,
                            y[k] + beta + base[k] + sigma * vdi_rng_normal(rng));
        }
    }
    return VDI_OK;
}

/* ======== on the tape ============================================================================
 * Everything inside is time-major: row t holds n = S B lanes, lane s B + b. One time step is a
 * handful of row operations on the kernels' own tables, so the recursions run in lanes and what has
 * no recursion (powers, exponentials) runs over whole arrays. Parameters are rows too, which makes
 * one cell for all, a cell per row of the batch and a parameter set per sample one code. */

enum { VDI__CALCIUM_STATES = 6 };

typedef struct vdi__calcium_note {
    vdi_calcium_desc desc;
    const vdi__kernels *k;
    vdi_dtype dtype;
    int64_t S, B, T;
    size_t n, row; /* lanes, and bytes of a row of them */
    int P, streams;
    int64_t R; /* rows of theta: 1, B or S B */
    bool want_trace;
    /* what stays from forward to backward, in `saved` */
    char *par, *state[VDI__CALCIUM_STATES], *e[2], *q[2]; /* (P,n); (T,n) each; (T,n): dlog p /
                                                             dmodel sigma^2; (n): r'.. */
    double *eff[2];                                       /* (B): how often log sigma counts */
} vdi__calcium_note;

#define VDI__CROW(p, t) ((p) + (size_t)(t)*u->row)
#define VDI__CPAR(i) (u->par + (size_t)(i)*u->row)

VDI__FN int vdi__calcium_states(vdi_calcium_model model) {
    static const uint8_t count[VDI_CALCIUM_MODELS] = {1, 2, 4, 6, 3};
    return count[model];
}

/* to (cols,rows) = from (rows,cols) turned over, or added to what is there */
VDI__FN void vdi__calcium_turn(vdi_dtype dtype, int64_t rows, int64_t cols, const void *from,
                               void *to, bool add) {
    enum { TILE = 16 };
    VDI__BOTH(dtype, {
        const real *x = (const real *)from;
        real *y = (real *)to;
        for (int64_t i0 = 0; i0 < rows; i0 += TILE) {
            for (int64_t j0 = 0; j0 < cols; j0 += TILE) {
                const int64_t i1 = VDI__MIN(i0 + TILE, rows), j1 = VDI__MIN(j0 + TILE, cols);
                if (add) {
                    for (int64_t j = j0; j < j1; j++) {
                        for (int64_t i = i0; i < i1; i++)
                            y[j * rows + i] += x[i * cols + j];
                    }
                } else {
                    for (int64_t j = j0; j < j1; j++) {
                        for (int64_t i = i0; i < i1; i++)
                            y[j * rows + i] = x[i * cols + j];
                    }
                }
            }
        }
    });
}

/* (B) -> (S,B): a row of the batch for every sample */
VDI__FN void vdi__calcium_tile(const vdi__calcium_note *u, const void *from, void *to) {
    const size_t part = (size_t)u->B * vdi_dtype_size(u->dtype);
    for (int64_t s = 0; s < u->S; s++)
        memcpy((char *)to + (size_t)s * part, from, part);
}

VDI__FN void vdi__calcium_mul(const vdi__calcium_note *u, const void *a, const void *b, void *y) {
    u->k->binary[VDI_MUL](u->n, a, 1, b, 1, y);
}
VDI__FN void vdi__calcium_sub(const vdi__calcium_note *u, const void *a, const void *b, void *y) {
    u->k->binary[VDI_SUB](u->n, a, 1, b, 1, y);
}
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
    for (int64_t t = 1; t < u->T; t++)
        vdi__calcium_muladd(u, g, VDI__CROW(c, t - 1), VDI__CROW(c, t));
}

/* All states from the spikes, which stand in state 0 (spine: 0 and 2). */
VDI__FN void vdi__calcium_run(const vdi__calcium_note *u, char *scratch) {
    char *c = u->state[0], *d = u->state[1];
    char *one = scratch, *two = scratch + u->row;
    const size_t n = u->n, all = n * (size_t)u->T;
    const vdi__kernels *k = u->k;
    switch (u->desc.model) {
    case VDI_CALCIUM_AR1: vdi__calcium_decay(u, VDI__CPAR(VDI__AR_GAMMA), c); break;
    case VDI_CALCIUM_SPINE:
        memcpy(d, c, all * vdi_dtype_size(u->dtype));
        vdi__calcium_decay(u, VDI__CPAR(VDI__SPINE_GAMMA_D), c);
        vdi__calcium_decay(u, VDI__CPAR(VDI__SPINE_GAMMA_S), d);
        vdi__calcium_decay(u, VDI__CPAR(VDI__SPINE_GAMMA_S), u->state[2]);
        break;
    case VDI_CALCIUM_AR2:
        vdi__calcium_decay(u, VDI__CPAR(VDI__AR_GAMMA), c);
        k->fill(n, 1, one);
        vdi__calcium_sub(u, one, VDI__CPAR(VDI__AR2_RHO), one);
        for (int64_t t = 0; t < u->T; t++) {
            vdi__calcium_mul(u, one, VDI__CROW(c, t), VDI__CROW(d, t));
            if (t) {
                vdi__calcium_muladd(u, VDI__CPAR(VDI__AR2_RHO), VDI__CROW(d, t - 1),
                                    VDI__CROW(d, t));
            }
        }
        break;
    case VDI_CALCIUM_SCDF: {
        /* state 2: log c, with c held off 0 so that 0 log 0 is 0; state 3: A = sp(eta) c^(1 +
         * sp(zeta)) */
        char *lc = u->state[2], *A = u->state[3];
        const char *top = VDI__CPAR(VDI__SCDF_DMAX);
        vdi__calcium_decay(u, VDI__CPAR(VDI__AR_GAMMA), c);
        k->clip(all, 1e-30, HUGE_VAL, c, lc);
        k->unary[VDI_LOG](all, 0, lc, lc);
        k->fill(n, 1, one);
        vdi__calcium_add(u, VDI__CPAR(VDI__SCDF_ZETA), one);
        for (int64_t t = 0; t < u->T; t++)
            vdi__calcium_mul(u, one, VDI__CROW(lc, t), VDI__CROW(A, t));
        k->unary[VDI_EXP](all, 0, A, A);
        memset(one, 0, u->row);
        for (int64_t t = 0; t < u->T; t++) {
            vdi__calcium_mul(u, VDI__CPAR(VDI__SCDF_ETA), VDI__CROW(A, t), VDI__CROW(A, t));
            vdi__calcium_sub(u, top, one, two);
            vdi__calcium_mul(u, VDI__CROW(A, t), two, VDI__CROW(d, t));
            vdi__calcium_muladd(u, VDI__CPAR(VDI__SCDF_KAPPA), one, VDI__CROW(d, t));
            k->binary[VDI_MIN](n, VDI__CROW(d, t), 1, top, 1, one);
        }
        break;
    }
    case VDI_CALCIUM_MLPHYS: {
        /* state 2: log(c0 + c); 3: (c0 + c)^hill; 4: u/a; 5: E = exp(-a delta/kappa) */
        char *lx = u->state[2];
        char *xp = u->state[3];
        char *goal = u->state[4];
        char *E = u->state[5];
        k->fill(n, vdi__calcium_bin(&u->desc), two);
        k->binary[VDI_DIV](n, two, 1, VDI__CPAR(VDI__PHYS_TAU), 1, one);
        k->unary[VDI_NEG](n, 0, one, one);
        k->unary[VDI_EXP](n, 0, one, one);
        vdi__calcium_decay(u, one, c);
        for (int64_t t = 0; t < u->T; t++)
            k->binary[VDI_ADD](n, VDI__CPAR(VDI__PHYS_C0), 1, VDI__CROW(c, t), 1, VDI__CROW(lx, t));
        k->unary[VDI_LOG](all, 0, lx, lx);
        for (int64_t t = 0; t < u->T; t++)
            vdi__calcium_mul(u, VDI__CPAR(VDI__PHYS_HILL), VDI__CROW(lx, t), VDI__CROW(xp, t));
        k->unary[VDI_EXP](all, 0, xp, xp);
        /* one: c0^hill; two: -delta/kappa */
        k->binary[VDI_POW](n, VDI__CPAR(VDI__PHYS_C0), 1, VDI__CPAR(VDI__PHYS_HILL), 1, one);
        k->binary[VDI_DIV](n, two, 1, VDI__CPAR(VDI__PHYS_KAPPA), 1, two);
        k->unary[VDI_NEG](n, 0, two, two);
        for (int64_t t = 0; t < u->T; t++) {
            char *g = VDI__CROW(goal, t), *x = VDI__CROW(E, t);
            vdi__calcium_sub(u, VDI__CROW(xp, t), one, g);
            k->fill(n, 1, x);
            vdi__calcium_muladd(u, VDI__CPAR(VDI__PHYS_GAMMA), g, x);
            k->binary[VDI_DIV](n, g, 1, x, 1, g);
            vdi__calcium_mul(u, two, x, x);
        }
        k->unary[VDI_EXP](all, 0, E, E);
        memset(one, 0, u->row);
        for (int64_t t = 0; t < u->T; t++) {
            vdi__calcium_sub(u, t ? VDI__CROW(d, t - 1) : one, VDI__CROW(goal, t), two);
            memcpy(VDI__CROW(d, t), VDI__CROW(goal, t), u->row);
            vdi__calcium_muladd(u, VDI__CROW(E, t), two, VDI__CROW(d, t));
        }
        break;
    }
    }
}

/* What is read out in stream k: y = sum of amplitude times state. */
typedef struct vdi__calcium_readout {
    int terms, amplitude[2], state[2], beta, sigma;
} vdi__calcium_readout;
VDI__FN vdi__calcium_readout vdi__calcium_read(const vdi__calcium_note *u, int stream) {
    vdi__calcium_readout r = VDI__ZERO;
    r.terms = 1;
    r.amplitude[0] = u->P - 3;
    r.beta = u->P - 2;
    r.sigma = u->P - 1;
    r.state[0] = u->desc.model == VDI_CALCIUM_AR1 ? 0 : 1;
    if (u->streams == 2 && stream == 0) {
        r.amplitude[0] = VDI__SPINE_ALPHA_D;
        r.beta = VDI__SPINE_BETA_D;
        r.sigma = VDI__SPINE_SIGMA_D;
        r.state[0] = 0;
    }
    if (u->streams == 2 && stream == 1) {
        r.terms = 2;
        r.amplitude[0] = VDI__SPINE_ALPHA_B;
        r.amplitude[1] = VDI__SPINE_ALPHA_Y;
        r.state[0] = 1;
        r.state[1] = 2;
    }
    return r;
}

VDI__FN void vdi__calcium_model_row(const vdi__calcium_note *u, const vdi__calcium_readout *r,
                                    int64_t t, char *y) {
    memcpy(y, VDI__CPAR(r->beta), u->row);
    for (int i = 0; i < r->terms; i++)
        vdi__calcium_muladd(u, VDI__CPAR(r->amplitude[i]), VDI__CROW(u->state[r->state[i]], t), y);
}

/* x = M^{-1} x for every lane, M = W + lambda D'D factored per row of the batch: down (T,B) =
 * lambda / pivot, inv = 1 / pivot. */
VDI__FN void vdi__calcium_smooth(const vdi__calcium_note *u, const char *down, const char *inv,
                                 char *one, char *x) {
    const size_t part = (size_t)u->B * vdi_dtype_size(u->dtype);
    for (int64_t t = 1; t < u->T; t++) {
        vdi__calcium_tile(u, down + (size_t)(t - 1) * part, one);
        vdi__calcium_muladd(u, one, VDI__CROW(x, t - 1), VDI__CROW(x, t));
    }
    for (int64_t t = u->T - 1; t >= 0; t--) {
        vdi__calcium_tile(u, inv + (size_t)t * part, one);
        vdi__calcium_mul(u, one, VDI__CROW(x, t), VDI__CROW(x, t));
        if (t + 1 == u->T) continue;
        vdi__calcium_tile(u, down + (size_t)t * part, one);
        vdi__calcium_muladd(u, one, VDI__CROW(x, t + 1), VDI__CROW(x, t));
    }
}

/* Element (b,t) of f or mask of stream k */
VDI__INLINE int64_t vdi__calcium_at(const vdi__calcium_note *u, int k, int64_t b, int64_t t) {
    return k * u->B * u->T + (u->desc.time_major ? t * u->B + b : b * u->T + t);
}

VDI__FN size_t vdi__calcium_scratch_bytes(const vdi__calcium_note *u) {
    const size_t batch = vdi_align_size((size_t)(u->T * u->B) * sizeof(double));
    const size_t whole = vdi_align_size((size_t)u->T * u->row);
    const size_t rows = vdi_align_size((size_t)(u->P + 12) * u->row);
    return 5 * batch + (size_t)(2 + u->streams) * whole + rows;
}

/* Residuals, the baseline's walk, and log p of stream k (added to log_p). */
VDI__FN void vdi__calcium_score(const vdi__calcium_note *u, int k, const vdi_tensor *f,
                                const vdi_tensor *mask, char *scratch, char *log_p) {
    const vdi__calcium_readout r = vdi__calcium_read(u, k);
    const size_t size = vdi_dtype_size(u->dtype);
    const size_t part = (size_t)u->B * size;

    const size_t batch = vdi_align_size((size_t)(u->T * u->B) * sizeof(double));
    char *W = scratch;
    char *F = W + batch;
    char *down = F + batch;
    char *inv = down + batch;
    char *whole = inv + 2 * batch;

    char *one = whole + vdi_align_size((size_t)u->T * u->row);
    char *two = one + u->row;
    double *shift = (double *)(void *)(inv + batch); /* (B): what the walk adds */
    const double lambda = u->desc.drift;
    bool full = true;
    for (int64_t b = 0; b < u->B; b++) {
        double count = 0;
        for (int64_t t = 0; t < u->T; t++) {
            const double v = vdi_dtype_load(u->dtype, f->data, vdi__calcium_at(u, k, b, t));
            const bool there =
                v == v &&
                (!mask || vdi_dtype_load(u->dtype, mask->data, vdi__calcium_at(u, k, b, t)) != 0);
            vdi_dtype_store(u->dtype, W, t * u->B + b, there ? 1 : 0);
            vdi_dtype_store(u->dtype, F, t * u->B + b, there ? v : 0);
            count += there;
            full = full && there;
        }
        u->eff[k][b] = count;
    }
    char *e = u->e[k];
    for (int64_t t = 0; t < u->T; t++) { /* e = W (f - model) */
        char *to = VDI__CROW(e, t);
        vdi__calcium_model_row(u, &r, t, one);
        vdi__calcium_tile(u, F + (size_t)t * part, to);
        vdi__calcium_sub(u, to, one, to);
        if (full) continue;
        vdi__calcium_tile(u, W + (size_t)t * part, two);
        vdi__calcium_mul(u, two, to, to);
    }
    char *q = u->q[k];
    memset(q, 0, u->row);
    for (int64_t b = 0; b < u->B; b++)
        shift[b] = 0;
    if (lambda > 0) {
        for (int64_t b = 0; b < u->B; b++) {
            double pivot = 0, logdet = 0;
            for (int64_t t = 0; t < u->T; t++) {
                const double w = vdi_dtype_load(u->dtype, W, t * u->B + b);
                const double ends = (t > 0) + (t + 1 < u->T);
                pivot = w + lambda * ends - (t ? lambda * lambda / pivot : 0);
                /* only if nothing was observed */
                if (!(pivot > 1e-12 * lambda)) pivot = 1e-12 * lambda + (u->T == 1);
                logdet += log(pivot);
                vdi_dtype_store(u->dtype, down, t * u->B + b, lambda / pivot);
                vdi_dtype_store(u->dtype, inv, t * u->B + b, 1 / pivot);
            }
            if (u->desc.drift_white || !(u->eff[k][b] > 0)) continue;
            u->eff[k][b] -= 1;
            shift[b] = 0.5 * (double)(u->T - 1) * log(lambda) - 0.5 * logdet;
        }
        for (int pass = 0; pass < (u->desc.drift_white ? 2 : 1); pass++) {
            memcpy(whole, e, (size_t)u->T * u->row);
            vdi__calcium_smooth(u, down, inv, one, whole);
            for (int64_t t = 0; t < u->T; t++) {
                char *y = VDI__CROW(e, t);
                if (!full) {
                    vdi__calcium_tile(u, W + (size_t)t * part, one);
                    vdi__calcium_mul(u, one, VDI__CROW(whole, t), VDI__CROW(whole, t));
                }
                memcpy(one, y, u->row);
                vdi__calcium_sub(u, y, VDI__CROW(whole, t), y);
                if (pass == 0) vdi__calcium_muladd(u, u->desc.drift_white ? y : one, y, q);
            }
        }
    } else {
        for (int64_t t = 0; t < u->T; t++)
            vdi__calcium_muladd(u, VDI__CROW(e, t), VDI__CROW(e, t), q);
    }
    for (int64_t l = 0; l < (int64_t)u->n; l++) {
        const double sigma = vdi_dtype_load(u->dtype, VDI__CPAR(r.sigma), l);
        const double count = u->eff[k][l % u->B];
        const double v = -0.5 * count * (VDI_LOG_2PI + 2 * log(sigma)) -
                         0.5 * vdi_dtype_load(u->dtype, q, l) / (sigma * sigma) + shift[l % u->B];
        vdi_dtype_store(u->dtype, log_p, l, vdi_dtype_load(u->dtype, log_p, l) + v);
    }
}

VDI__FN vdi_status vdi__calcium_forward(vdi_custom *c, void *user, vdi_error *err) {
    vdi__calcium_note *u = (vdi__calcium_note *)user;
    const vdi_calcium_param *p = vdi_calcium_params(u->desc.model, NULL);
    const size_t size = vdi_dtype_size(u->dtype), stream = (size_t)u->T * u->row;
    char *at = (char *)c->saved;
    char *scratch = (char *)vdi_tape_scratch(c->tape, vdi__calcium_scratch_bytes(u));
    if (!scratch)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_var_calcium", "no memory for the scratch");
    u->par = at;
    at += (size_t)u->P * u->row;
    for (int i = 0; i < vdi__calcium_states(u->desc.model); i++) {
        u->state[i] = at;
        at += stream;
    }
    for (int k = 0; k < u->streams; k++) {
        u->e[k] = at;
        at += stream;
    }
    for (int k = 0; k < u->streams; k++) {
        u->q[k] = at;
        at += u->row;
    }
    at = (char *)c->saved + vdi_align_size((size_t)(at - (char *)c->saved));
    for (int k = 0; k < u->streams; k++)
        u->eff[k] = (double *)(void *)at + k * u->B;
    for (int64_t l = 0; l < (int64_t)u->n; l++) {
        for (int i = 0; i < u->P; i++) {
            if (l >= u->R) {
                memcpy(VDI__CPAR(i) + (size_t)l * size, VDI__CPAR(i) + (size_t)(l % u->R) * size,
                       size);
                continue;
            }
            const double raw = vdi_dtype_load(u->dtype, c->in[1].data, l * u->P + i);
            if (!isfinite(raw)) {
                return vdi_error_set(err, VDI_ERR_DATA, "vdi_var_calcium", "parameter %s is %g",
                                     p[i].name, raw);
            }
            vdi_dtype_store(u->dtype, VDI__CPAR(i), l, vdi_calcium_natural(p[i].map, raw));
        }
    }
    for (int k = 0; k < u->streams; k++) {
        const char *from = (const char *)c->in[0].data + (size_t)k * stream;
        char *to = u->state[k ? 2 : 0];
        if (u->desc.time_major)
            memcpy(to, from, stream);
        else
            vdi__calcium_turn(u->dtype, (int64_t)u->n, u->T, from, to, false);
    }
    vdi__calcium_run(u, scratch);
    memset(c->out[0].data, 0, u->row);
    for (int k = 0; k < u->streams; k++) {
        vdi__calcium_score(u, k, &c->in[2], c->inputs > 3 ? &c->in[3] : NULL, scratch,
                           (char *)c->out[0].data);
    }
    for (int k = 0; k < u->streams && u->want_trace; k++) {
        const vdi__calcium_readout r = vdi__calcium_read(u, k);
        char *to = (char *)c->out[1].data + (size_t)k * stream;
        char *y = u->desc.time_major ? to : scratch;
        for (int64_t t = 0; t < u->T; t++)
            vdi__calcium_model_row(u, &r, t, VDI__CROW(y, t));
        if (!u->desc.time_major) vdi__calcium_turn(u->dtype, u->T, (int64_t)u->n, y, to, false);
    }
    return VDI_OK;
}

/* carry = g carry + dc_t, and what it means for g and for the spikes: one step of a decay's
 * adjoint */
VDI__FN void vdi__calcium_decay_back(const vdi__calcium_note *u, int64_t t, const char *g,
                                     const char *c, const char *dc, char *carry, char *dg,
                                     char *ds) {
    vdi__calcium_mul(u, g, carry, carry);
    vdi__calcium_add(u, dc, carry);
    if (t) vdi__calcium_muladd(u, carry, VDI__CROW(c, t - 1), dg);
    if (ds) vdi__calcium_add(u, carry, VDI__CROW(ds, t));
}

VDI__FN vdi_status vdi__calcium_backward(vdi_custom *c, void *user, vdi_error *err) {
    vdi__calcium_note *u = (vdi__calcium_note *)user;
    const vdi__kernels *k = u->k;
    const vdi_calcium_param *p = vdi_calcium_params(u->desc.model, NULL);
    const size_t n = u->n, size = vdi_dtype_size(u->dtype), stream = (size_t)u->T * u->row;
    char *scratch = (char *)vdi_tape_scratch(c->tape, vdi__calcium_scratch_bytes(u));
    if (!scratch)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_var_calcium", "no memory for the scratch");
    const bool want_s = vdi_tensor_ok(c->din[0]);
    const bool from_trace = u->want_trace && vdi_tensor_ok(c->dout[1]);

    const bool from_p = vdi_tensor_ok(c->dout[0]);
    char *dtrace = scratch, *ds = dtrace + (size_t)u->streams * stream;
    /* (P,n) */
    char *dp = ds + (size_t)u->streams * stream;
    /* then 3 carries */
    char *G = dp + (size_t)u->P * u->row;
    char *df = G + 2 * u->row;
    char *w = df + u->row;
    char *carry = w + 4 * u->row;
    const size_t used = (size_t)(carry - scratch) + 3 * u->row;
    VDI_ASSERT(used <= vdi__calcium_scratch_bytes(u));
    (void)used;
    memset(dp, 0, (size_t)u->P * u->row);
    memset(carry, 0, 3 * u->row);
    if (want_s) memset(ds, 0, (size_t)u->streams * stream);
    for (int s = 0; s < u->streams && from_trace; s++) {
        const char *from = (const char *)c->dout[1].data + (size_t)s * stream;
        if (u->desc.time_major)
            memcpy(dtrace + (size_t)s * stream, from, stream);
        else
            vdi__calcium_turn(u->dtype, (int64_t)n, u->T, from, dtrace + (size_t)s * stream, false);
    }
    vdi__calcium_readout r[2];
    for (int s = 0; s < u->streams; s++) { /* G = dlog p / sigma^2, and all that sigma gets */
        r[s] = vdi__calcium_read(u, s);
        for (int64_t l = 0; l < (int64_t)n; l++) {
            const double sigma = vdi_dtype_load(u->dtype, VDI__CPAR(r[s].sigma), l);

            const double g = from_p ? vdi_dtype_load(u->dtype, c->dout[0].data, l) : 0;
            vdi_dtype_store(u->dtype, G + (size_t)s * u->row, l, g / (sigma * sigma));
            vdi_dtype_store(
                u->dtype, dp + (size_t)r[s].sigma * u->row, l,
                g * (vdi_dtype_load(u->dtype, u->q[s], l) / (sigma * sigma) - u->eff[s][l % u->B]) /
                    sigma);
        }
    }
#define VDI__DPAR(i) (dp + (size_t)(i)*u->row)
    char *w1 = w + u->row;
    char *w2 = w + 2 * u->row;
    char *w3 = w + 3 * u->row;
    char *carry1 = carry + u->row;
    char *carry2 = carry + 2 * u->row;
    char *const C = u->state[0], *const D = u->state[1];
    for (int64_t t = u->T - 1; t >= 0; t--) {
        for (int s = 0; s < u->streams; s++) {
            vdi__calcium_mul(u, G + (size_t)s * u->row, VDI__CROW(u->e[s], t), df);
            if (from_trace) vdi__calcium_add(u, VDI__CROW(dtrace + (size_t)s * stream, t), df);
            vdi__calcium_add(u, df, VDI__DPAR(r[s].beta));
            for (int i = 0; i < r[s].terms; i++) {
                const char *state = u->state[r[s].state[i]];
                vdi__calcium_muladd(u, df, VDI__CROW(state, t), VDI__DPAR(r[s].amplitude[i]));
                if (u->streams == 2) {
                    const int g = s ? VDI__SPINE_GAMMA_S : VDI__SPINE_GAMMA_D;
                    vdi__calcium_mul(u, VDI__CPAR(r[s].amplitude[i]), df, w);
                    vdi__calcium_decay_back(u, t, VDI__CPAR(g), state, w,
                                            carry + (size_t)r[s].state[i] * u->row, VDI__DPAR(g),
                                            want_s ? ds + (size_t)i * stream : NULL);
                }
            }
        }
        if (u->streams == 2) continue;
        /* w: d loss / d (what is read out) */
        vdi__calcium_mul(u, VDI__CPAR(r[0].amplitude[0]), df, w);
        char *dst = want_s ? ds : NULL;
        switch (u->desc.model) {
        case VDI_CALCIUM_AR1:
            vdi__calcium_decay_back(u, t, VDI__CPAR(VDI__AR_GAMMA), C, w, carry,
                                    VDI__DPAR(VDI__AR_GAMMA), dst);
            break;
        case VDI_CALCIUM_AR2: /* carry1: the adjoint of d */
            vdi__calcium_mul(u, VDI__CPAR(VDI__AR2_RHO), carry1, carry1);
            vdi__calcium_add(u, w, carry1);
            if (t) vdi__calcium_muladd(u, carry1, VDI__CROW(D, t - 1), VDI__DPAR(VDI__AR2_RHO));
            vdi__calcium_mul(u, carry1, VDI__CROW(C, t), w);
            vdi__calcium_sub(u, VDI__DPAR(VDI__AR2_RHO), w, VDI__DPAR(VDI__AR2_RHO));
            vdi__calcium_mul(u, carry1, VDI__CPAR(VDI__AR2_RHO), w);
            vdi__calcium_sub(u, carry1, w, w);
            vdi__calcium_decay_back(u, t, VDI__CPAR(VDI__AR_GAMMA), C, w, carry,
                                    VDI__DPAR(VDI__AR_GAMMA), dst);
            break;
        case VDI_CALCIUM_SCDF: {
            /* carry1 holds dloss/dm of the step after; it reaches d_t where d_t is below the top,
             * else the top */
            const char *A = VDI__CROW(u->state[3], t);
            const char *top = VDI__CPAR(VDI__SCDF_DMAX);
            const char *lc = VDI__CROW(u->state[2], t);
            k->binary[VDI_MIN](n, VDI__CROW(D, t), 1, top, 1, w1);
            k->binary[VDI_SUB](n, top, 1, w1, 1, w2); /* > 0 where free */
            VDI__BOTH(u->dtype, {
                const real *open = (const real *)w2;
                real *mu = (real *)w;
                real *m = (real *)carry1;
                real *dtop = (real *)VDI__DPAR(VDI__SCDF_DMAX);
                for (size_t l = 0; l < n; l++) {
                    if (open[l] > 0)
                        mu[l] += m[l];
                    else
                        dtop[l] += m[l];
                }
            });
            if (t)
                k->binary[VDI_MIN](n, VDI__CROW(D, t - 1), 1, top, 1, w1); /* m_{t-1} */
            else
                memset(w1, 0, u->row);
            vdi__calcium_muladd(u, w, A, VDI__DPAR(VDI__SCDF_DMAX));
            vdi__calcium_muladd(u, w, w1, VDI__DPAR(VDI__SCDF_KAPPA));
            vdi__calcium_sub(u, VDI__CPAR(VDI__SCDF_KAPPA), A, carry1);
            vdi__calcium_mul(u, w, carry1, carry1);
            vdi__calcium_sub(u, top, w1, w2);
            vdi__calcium_mul(u, w, w2, w2); /* dA */
            vdi__calcium_mul(u, w2, A, w2); /* dA A = dlog A */
            k->binary[VDI_DIV](n, w2, 1, VDI__CPAR(VDI__SCDF_ETA), 1, w3);
            vdi__calcium_add(u, w3, VDI__DPAR(VDI__SCDF_ETA));
            vdi__calcium_muladd(u, w2, lc, VDI__DPAR(VDI__SCDF_ZETA));
            k->clip(n, 1e-30, HUGE_VAL, VDI__CROW(C, t), w3);
            k->binary[VDI_DIV](n, w2, 1, w3, 1, w3);
            memcpy(w, w3, u->row);
            vdi__calcium_muladd(u, w3, VDI__CPAR(VDI__SCDF_ZETA), w); /* (1 + zeta) dlog A / c */
            vdi__calcium_decay_back(u, t, VDI__CPAR(VDI__AR_GAMMA), C, w, carry,
                                    VDI__DPAR(VDI__AR_GAMMA), dst);
            break;
        }
        case VDI_CALCIUM_MLPHYS: {
            /* carry1: E_{t+1} mu_{t+1}. With a = 1 + gamma u and goal = u/a: 1/a = 1 - gamma
             * goal */
            const char *E = VDI__CROW(u->state[5], t);
            const char *goal = VDI__CROW(u->state[4], t);
            const char *xp = VDI__CROW(u->state[3], t);

            const char *lx = VDI__CROW(u->state[2], t);
            const double bin = vdi__calcium_bin(&u->desc);
            const size_t parameters = n;
            VDI__BOTH(u->dtype, {
                const real *Es = (const real *)E;
                const real *gs = (const real *)goal;
                const real *xs = (const real *)xp;
                const real *ls = (const real *)lx;
                const real *before = t ? (const real *)VDI__CROW(D, t - 1) : NULL;
                const real *cs = (const real *)VDI__CROW(C, t);
                const real *tau = (const real *)VDI__CPAR(VDI__PHYS_TAU);
                const real *c0 = (const real *)VDI__CPAR(VDI__PHYS_C0);

                const real *hill = (const real *)VDI__CPAR(VDI__PHYS_HILL);
                const real *gamma = (const real *)VDI__CPAR(VDI__PHYS_GAMMA);

                const real *kappa = (const real *)VDI__CPAR(VDI__PHYS_KAPPA);
                real *dc0 = (real *)VDI__DPAR(VDI__PHYS_C0);
                real *dhill = (real *)VDI__DPAR(VDI__PHYS_HILL);

                real *dgamma = (real *)VDI__DPAR(VDI__PHYS_GAMMA);
                real *dkappa = (real *)VDI__DPAR(VDI__PHYS_KAPPA);
                real *mus = (real *)carry1;

                real *dcs = (real *)w;
                real *du_sum = (real *)carry2;
                (void)tau;
                for (size_t l = 0; l < parameters; l++) {
                    const real mu = dcs[l] + mus[l];
                    const real ia = 1 - gamma[l] * gs[l];
                    const real a = 1 / ia;
                    const real uu = gs[l] * a;
                    const real dgoal = mu * (1 - Es[l]), step = (real)bin / kappa[l];
                    const real dE = mu * ((before ? before[l] : 0) - gs[l]) * Es[l]; /* dlog E */
                    const real da = -dE * step - dgoal * gs[l] * ia;
                    const real du = dgoal * ia + gamma[l] * da;
                    dkappa[l] += dE * a * step / kappa[l];
                    dgamma[l] += da * uu;
                    dhill[l] += du * xs[l] * ls[l];
                    dcs[l] = du * hill[l] * xs[l] / (c0[l] + cs[l]);
                    dc0[l] += dcs[l];
                    du_sum[l] += du;
                    mus[l] = mu * Es[l];
                }
            });
            /* the decay is exp(-delta/tau): w2 its factor */
            k->fill(n, -bin, w1);
            k->binary[VDI_DIV](n, w1, 1, VDI__CPAR(VDI__PHYS_TAU), 1, w2);
            k->unary[VDI_EXP](n, 0, w2, w2);
            vdi__calcium_decay_back(u, t, w2, C, w, carry, VDI__DPAR(VDI__PHYS_TAU), dst);
            break;
        }
        case VDI_CALCIUM_SPINE: break;
        }
    }
    if (u->desc.model == VDI_CALCIUM_MLPHYS) {
        /* what stands outside of the sum over time: -c0^hill in u, and the factor of tau */
        for (int64_t l = 0; l < (int64_t)n; l++) {
            const double c0 = vdi_dtype_load(u->dtype, VDI__CPAR(VDI__PHYS_C0), l);

            const double hill = vdi_dtype_load(u->dtype, VDI__CPAR(VDI__PHYS_HILL), l);
            const double tau = vdi_dtype_load(u->dtype, VDI__CPAR(VDI__PHYS_TAU), l);
            const double du = vdi_dtype_load(u->dtype, carry2, l);
            const double power = c0 > 0 ? pow(c0, hill) : 0, bin = vdi__calcium_bin(&u->desc);
            if (c0 > 0) {
                vdi_dtype_store(u->dtype, VDI__DPAR(VDI__PHYS_HILL), l,
                                vdi_dtype_load(u->dtype, VDI__DPAR(VDI__PHYS_HILL), l) -
                                    du * power * log(c0));
                vdi_dtype_store(u->dtype, VDI__DPAR(VDI__PHYS_C0), l,
                                vdi_dtype_load(u->dtype, VDI__DPAR(VDI__PHYS_C0), l) -
                                    du * hill * power / c0);
            }
            vdi_dtype_store(u->dtype, VDI__DPAR(VDI__PHYS_TAU), l,
                            vdi_dtype_load(u->dtype, VDI__DPAR(VDI__PHYS_TAU), l) *
                                exp(-bin / tau) * bin / (tau * tau));
        }
    }
    for (int s = 0; s < u->streams && want_s; s++) {
        char *to = (char *)c->din[0].data + (size_t)s * stream;
        if (u->desc.time_major)
            k->axpby(n * (size_t)u->T, 1, ds + (size_t)s * stream, 1, to);
        else
            vdi__calcium_turn(u->dtype, u->T, (int64_t)n, ds + (size_t)s * stream, to, true);
    }
    if (vdi_tensor_ok(c->din[1])) {
        for (int64_t row = 0; row < u->R; row++) {
            for (int i = 0; i < u->P; i++) {
                double sum = 0;
                for (int64_t l = row; l < (int64_t)n; l += u->R)
                    sum += vdi_dtype_load(u->dtype, VDI__DPAR(i), l);
                sum *= vdi__calcium_slope(p[i].map, vdi_dtype_load(u->dtype, VDI__CPAR(i), row));
                vdi_dtype_store(u->dtype, c->din[1].data, row * u->P + i,
                                vdi_dtype_load(u->dtype, c->din[1].data, row * u->P + i) + sum);
            }
        }
    }
#undef VDI__DPAR
    (void)size;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_var_calcium(vdi_tape *t, const vdi_calcium_desc *desc, vdi_var spikes,
                                    vdi_var theta, vdi_var f, vdi_var mask, vdi_var *trace,
                                    vdi_var *log_p) {
    static const char where[] = "vdi_var_calcium";
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT], e[VDI_SHAPE_TEXT];
    vdi_error err;
    vdi_var in[4], out[2];
    vdi_tensor shapes[2];
    vdi_status status = vdi_tape_status(t, NULL);
    if (trace) *trace = vdi_var_none();
    *log_p = vdi_var_none();
    if (status < 0) return status;
    status = vdi_calcium_desc_check(desc, &err);
    if (status < 0) {
        (void)vdi_tape_fail(t, status, where, "%s", err.message);
        return status;
    }
    const bool masked = vdi_var_ok(mask);
    const vdi_tensor vs = vdi_tape_value(t, spikes);
    const vdi_tensor vp = vdi_tape_value(t, theta);
    const vdi_tensor vf = vdi_tape_value(t, f);
    const vdi_tensor vm = vdi_tape_value(t, mask);
    const int lead = vdi_calcium_streams(desc->model) == 2;
    int count = 0;
    (void)vdi_calcium_params(desc->model, &count);
    bool good = vdi_tensor_ok(vs) && vdi_tensor_ok(vp) && vdi_tensor_ok(vf) &&
                vs.ndim == 3 + lead && vf.ndim == 2 + lead && vp.ndim >= 1 && vp.ndim <= 3;
    if (!good || (lead && (vs.shape[0] != 2 || vf.shape[0] != 2))) {
        (void)vdi_tape_fail(
            t, VDI_ERR_SHAPE, where,
            "spikes %s, theta %s, f %s: expected %s(samples, batch, T), (.., %d), %s(batch, T)",
            vdi_tensor_ok(vs) ? vdi_tensor_shape_text(vs, a) : "none",
            vdi_tensor_ok(vp) ? vdi_tensor_shape_text(vp, b) : "none",
            vdi_tensor_ok(vf) ? vdi_tensor_shape_text(vf, e) : "none", lead ? "2, " : "", count,
            lead ? "2, " : "");

        return VDI_ERR_SHAPE;
    }
    const int64_t *s = vs.shape + lead, *g = vf.shape + lead;
    const bool major = desc->time_major;
    const int64_t S = major ? s[1] : s[0], B = major ? s[2] : s[1], T = major ? s[0] : s[2];
    const int64_t R = vp.ndim == 1 ? 1 : vp.ndim == 2 ? vp.shape[0] : vp.shape[0] * vp.shape[1];
    good = (major ? g[1] : g[0]) == B && (major ? g[0] : g[1]) == T &&
           vp.shape[vp.ndim - 1] == count && S >= 1 && B >= 1 && T >= 1;
    good = good && (vp.ndim == 1 || (vp.ndim == 2 && (R == B || R == 1)) ||
                    (vp.ndim == 3 && vp.shape[0] == S && vp.shape[1] == B));
    if (!good || (masked && !vdi_tensor_same_shape(vm, vf))) {
        (void)vdi_tape_fail(t, VDI_ERR_SHAPE, where,
                            "spikes %s, theta %s, f %s do not fit together (%s has %d parameters), "
                            "or the mask is not like f",
                            vdi_tensor_shape_text(vs, a), vdi_tensor_shape_text(vp, b),
                            vdi_tensor_shape_text(vf, e), vdi_calcium_name(desc->model), count);

        return VDI_ERR_SHAPE;
    }
    if (vp.dtype != vs.dtype || vf.dtype != vs.dtype || (masked && vm.dtype != vs.dtype)) {
        (void)vdi_tape_fail(
            t, VDI_ERR_DTYPE, where, "spikes are %s, theta %s, f %s: expected one dtype",
            vdi_dtype_name(vs.dtype), vdi_dtype_name(vp.dtype), vdi_dtype_name(vf.dtype));

        return VDI_ERR_DTYPE;
    }
    vdi__calcium_note *u = (vdi__calcium_note *)vdi__tape_payload(t, where, sizeof *u);
    if (!u) return vdi_tape_status(t, NULL);
    memset(u, 0, sizeof *u);
    u->desc = *desc;
    u->dtype = vs.dtype;
    u->k = vdi__kernels_of(vs.dtype);
    u->S = S;
    u->B = B;
    u->T = T;
    u->R = R;
    u->n = (size_t)(S * B);
    u->row = u->n * vdi_dtype_size(u->dtype);
    u->P = count;
    u->streams = lead + 1;
    u->want_trace = trace != NULL;
    vdi_custom_desc op = VDI__ZERO;
    in[0] = spikes;
    in[1] = theta;
    in[2] = f;
    in[3] = mask;
    shapes[0] = vdi_tensor_2d(NULL, u->dtype, S, B);
    shapes[1] = vdi_tensor_view(NULL, u->dtype, vs.ndim, vs.shape);
    op.name = where;
    op.inputs = masked ? 4 : 3;
    op.input = in;
    op.outputs = trace ? 2 : 1;
    op.output = shapes;
    op.saved_bytes = ((size_t)(count + u->streams) +
                      (size_t)(vdi__calcium_states(desc->model) + u->streams) * (size_t)T) *
                         u->row +
                     VDI_ALIGN + (size_t)(u->streams * B) * sizeof(double);
    op.scratch_bytes = vdi__calcium_scratch_bytes(u);
    op.forward = vdi__calcium_forward;
    op.backward = vdi__calcium_backward;
    op.user = u;
    status = vdi_var_custom(t, &op, out);
    if (status < 0) return status;
    *log_p = out[0];
    if (trace) *trace = out[1];
    return VDI_OK;
}
#undef VDI__CROW
#undef VDI__CPAR

VDI__DEF vdi_var vdi_calcium_fluorescence(vdi_tape *t, vdi_var spikes, vdi_var f, vdi_var mask,
                                          const vdi_calcium_info *info, vdi_var *trace,
                                          void *user) {
    const vdi_calcium_cells *cells = (const vdi_calcium_cells *)user;
    vdi_calcium_desc desc = cells->desc;
    vdi_var log_p, theta = vdi_tape_param(t, cells->theta);
    desc.time_major = info->time_major;
    if (info->bin > 0) desc.bin = info->bin;
    if (cells->theta->value.ndim == 2) {
        if (!info->cell) {
            theta = vdi_var_index(t, theta, 0, 0);
        } else {
            /* one cell for the whole batch is the common case, and the cheaper one */
            bool same = true;
            for (int64_t b = 1; b < info->batch; b++)
                same = same && info->cell[b] == info->cell[0];
            int64_t index = info->batch;
            theta =
                same ? vdi_var_index(t, theta, 0, info->cell[0])
                     : vdi_var_gather(t, theta,
                                      vdi_tensor_1d((void *)(uintptr_t)info->cell, VDI_I64, index));
        }
    }
    return vdi_var_calcium(t, &desc, spikes, theta, f, mask, trace, &log_p) < 0 ? vdi_var_none()
                                                                                : log_p;
}
#endif
