/* model/lds/lds.h - the linear dynamical system: the model and its observations
 *
 *     z_1 ~ N(x0, Q0),   z_t = A z_{t-1} + B u_t + N(0,Q),   y_t = C z_t + D u_t + b + N(0,R)
 *
 * Do this:
 *     vdi_lds_desc desc = {0};
 *     desc.d = 4;
 *     desc.n = 10;
 *     vdi_lds *lds;
 *     vdi_lds_create(&desc, &lds, &err);
 *     vdi_lds_data_desc dd = {0};
 *     dd.y = vdi_tensor_3d(y, VDI_F64, trials, T, 10);   NaN marks a missing value
 *     vdi_lds_data *data;
 *     vdi_lds_data_create(lds, &dd, &data, &err);
 *     vdi_lds_init(lds, data, 1, &err);
 *     for (int i = 0; i < 100; i++) vdi_lds_em_step(lds, data, &log_likelihood, &err);
 *     vdi_lds_moments out = {0};
 *     out.ms = means;                                    (trials,T,d)
 *     vdi_lds_smooth(lds, data, &out, &err);
 *
 * Posterior moments and log p(y) are in smooth.h, learning in em.h and its start in start.h,
 * drawing and forecasting in sample.h.
 * Everything is float64: this is the exact model that the others are checked against. Trials may be
 * ragged (`lengths`), and any single value may be missing. T = 1 works.
 * Memory: create and data_create allocate; nothing else does, except that trials in windows
 * (data_desc.window) allocate memory for all bins at once when it is first needed: samples, filter
 * moments, a model with semidefinite covariances, and for the time of vdi_lds_init.
 * Errors: statuses; the parameters are then unchanged. Threads: one object per thread, or
 * data_desc.pool. Source of the formulas: docs/guide/lds.md.
 * What it does not do: time-varying parameters, inputs that are missing.
 */
#ifndef VDI_MODEL_LDS_LDS_H
#define VDI_MODEL_LDS_LDS_H
#include "../../core/field.h"
#include "../../core/log.h"
#include "../../core/pool.h"
#include "../../core/ranks.h"
#include "chain.h"
#include "series.h"

/** How many parameters there are. */
#define VDI_LDS_PARAMS 9

/** Description of a model; zero is the default of each field (vdi_lds_desc_fields). */
typedef struct vdi_lds_desc {
    int64_t d;         /**< latent dimension */
    int64_t n;         /**< observed channels */
    int64_t inputs;    /**< entries of u_t; 0: none */
    bool diagonal_r;   /**< R diagonal (factor analysis in time) instead of full */
    unsigned freeze;   /**< VDI_LDS_* bits of parameters that EM leaves alone */
    double r_floor;    /**< EM keeps the eigenvalues of R at or above this; 0: in units of the
                                  channels' variances 1e-6, or what R has if that is less */
    double q_floor;    /**< likewise of Q and Q0, in units of the latents' variances */
    double max_radius; /**< EM keeps A's spectral radius at or below this; 0: no bound */
    const vdi_lds_ties
        *ties;               /**< elements that EM leaves alone, keeps equal or within bounds; NULL:
                                   none. Has to last as long as the model and its data */
    vdi_allocator allocator; /**< zero: malloc and free */
    vdi_logger logger;       /**< zero: silent */
} vdi_lds_desc;

/** A model: the parameters are yours to read and to set. All row-major float64. */
typedef struct vdi_lds {
    vdi_lds_desc desc; /**< as it was given, with defaults filled in */
    double *A;         /**< (d,d) */
    double *B;         /**< (d,inputs) */
    double *Q;         /**< (d,d) */
    double *C;         /**< (n,d) */
    double *D;         /**< (n,inputs) */
    double *b;         /**< (n) */
    double *R;         /**< (n,n); only the diagonal counts if desc.diagonal_r */
    double *x0;        /**< (d) */
    double *Q0;        /**< (d,d) */
    /* private */
    double *update; /* the parameters of the step under way, same layout */
    size_t param_count, block_size;
    vdi_named_tensor tensors[VDI_LDS_PARAMS];
    vdi_meta_list *meta; /* of vdi_lds_state */
} vdi_lds;

/** Observations for one model. */
typedef struct vdi_lds_data_desc {
    vdi_tensor y;            /**< (trials,T,n) or (T,n), any dtype, NaN = missing */
    vdi_tensor u;            /**< (trials,T,inputs) or (T,inputs); zero where the model has none */
    const int64_t *lengths;  /**< (trials), bins of each trial that count; NULL: T */
    int64_t window;          /**< bins whose covariances are held at once; 0: all, unless they would
                                take more than 16 MiB, then some thousand */
    vdi_pool *pool;          /**< NULL: the caller's thread */
    vdi_ranks ranks;         /**< processes that share the trials of EM; zero: alone. Each is given
                                  all of them, and takes in its share: results by trial are of
                                  those */
    vdi_allocator allocator; /**< zero: malloc and free */
} vdi_lds_data_desc;

/** Observations taken in, with all scratch memory that the model needs for them: opaque. */
typedef struct vdi_lds_data vdi_lds_data;

/** Name, default, range and help of each field of a description. */
VDI_API const vdi_fields *vdi_lds_desc_fields(void);
/** The description with defaults filled in. */
VDI_API vdi_lds_desc vdi_lds_desc_defaults(const vdi_lds_desc *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_lds_desc_check(const vdi_lds_desc *desc, vdi_error *err);
/** The description of the model whose metadata these are (vdi_lds_state); allocator and logger stay
 * as they are. VDI_ERR_FORMAT names the key that is missing or wrong. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_desc_from_meta(vdi_lds_desc *desc, const vdi_meta *meta,
                                                        int64_t count, vdi_error *err);
/** Make a model: A = 0.95 I, Q = (1 - 0.95^2) I, R = Q0 = I, the rest 0. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_create(const vdi_lds_desc *desc, vdi_lds **out,
                                                vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_lds_destroy(vdi_lds *lds);
/** Are all parameters finite, and Q, Q0, R covariances (symmetric, positive definite or
 * semidefinite)? The message says which is not. */
VDI_API vdi_status vdi_lds_check(const vdi_lds *lds, vdi_error *err);
/** The parameters as named tensors (A B Q C D b R x0 Q0; B and D have no entries without inputs),
 * views into the model, and as metadata the description. */
VDI_API vdi_state vdi_lds_state(vdi_lds *lds);

/** VDI_OK, or what does not fit the model: VDI_ERR_SHAPE, VDI_ERR_ARGUMENT. */
VDI_API vdi_status vdi_lds_data_desc_check(const vdi_lds *lds, const vdi_lds_data_desc *desc,
                                           vdi_error *err);
/** Take in observations: checks them, finds which trials share covariances, allocates all scratch.
 * The tensors are copied. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_data_create(const vdi_lds *lds,
                                                     const vdi_lds_data_desc *desc,
                                                     vdi_lds_data **out, vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_lds_data_destroy(vdi_lds_data *data);
VDI_API int64_t vdi_lds_data_trials(const vdi_lds_data *data);
VDI_API int64_t vdi_lds_data_bins(const vdi_lds_data *data);
/** Distinct covariance sequences ("lanes"), and which of them trial i has. */
VDI_API int64_t vdi_lds_data_lanes(const vdi_lds_data *data);
VDI_API int64_t vdi_lds_data_lane(const vdi_lds_data *data, int64_t trial);
/** Bins with at least one observed value, summed over trials: what a log likelihood per bin divides
 * by. */
VDI_API int64_t vdi_lds_data_observed_bins(const vdi_lds_data *data);
/** Bins of a window, where trials are worked on in windows (data_desc.window); else 0. */
VDI_API int64_t vdi_lds_data_window(const vdi_lds_data *data);
/** Bytes that they hold: the data, and all that steps and posteriors need. */
VDI_API size_t vdi_lds_data_bytes(const vdi_lds_data *data);

#endif /* VDI_MODEL_LDS_LDS_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_LDS_C)
#define VDI_MODEL_LDS_LDS_C

/* ---- descriptions ---------------------------------------------------------------------------- */

static const vdi_field vdi__lds_fields[] = {
    VDI_FIELD_INT_FLAGS(vdi_lds_desc, d, 0, 1, 1024, VDI_FIELD_REQUIRED, "latent dimension"),
    VDI_FIELD_INT_FLAGS(vdi_lds_desc, n, 0, 1, 65536, VDI_FIELD_REQUIRED, "observed channels"),
    VDI_FIELD_INT(vdi_lds_desc, inputs, 0, 0, 65536,
                  "entries of the known inputs of each bin; 0: none"),
    VDI_FIELD_BOOL(vdi_lds_desc, diagonal_r, "R diagonal instead of full"),
    VDI_FIELD_INT32(vdi_lds_desc, freeze, 0, 0, VDI__LDS_FREEZE_ALL,
                    "parameters that EM leaves alone: a sum of A 1, B 2, Q 4, C 8, D 16, b 32, "
                    "R 64, x0 128, Q0 256"),
    VDI_FIELD_REAL_FLAGS(vdi_lds_desc, r_floor, 0, 0, 1e300, VDI_FIELD_COMPUTED,
                         "least eigenvalue of R; default: 1e-6 of the channels' variances"),
    VDI_FIELD_REAL_FLAGS(vdi_lds_desc, q_floor, 0, 0, 1e300, VDI_FIELD_COMPUTED,
                         "least eigenvalue of Q and Q0; default: 1e-6 of the latents' variances"),
    VDI_FIELD_REAL(vdi_lds_desc, max_radius, 0, 0, 1e300,
                   "largest spectral radius of A; 0: no bound"),
};

VDI__DEF const vdi_fields *vdi_lds_desc_fields(void) {
    static const vdi_fields fields = {"vdi_lds_desc", vdi__lds_fields, VDI__COUNT(vdi__lds_fields)};
    return &fields;
}

VDI__DEF vdi_lds_desc vdi_lds_desc_defaults(const vdi_lds_desc *desc) {
    vdi_lds_desc r = *desc;
    vdi_fields_fill(vdi_lds_desc_fields(), &r);
    r.allocator = vdi_allocator_defaults(&desc->allocator);
    return r;
}

VDI__DEF vdi_status vdi_lds_desc_check(const vdi_lds_desc *desc, vdi_error *err) {
    const vdi_lds_desc d = vdi_lds_desc_defaults(desc);
    return vdi_fields_check(vdi_lds_desc_fields(), &d, err);
}

VDI__DEF vdi_status vdi_lds_desc_from_meta(vdi_lds_desc *desc, const vdi_meta *meta, int64_t count,
                                           vdi_error *err) {
    const vdi_status status =
        vdi__meta_check_kind(meta, count, "lds", "vdi_lds_desc_from_meta", err);
    return status < 0 ? status : vdi_fields_read(vdi_lds_desc_fields(), desc, meta, count, err);
}

/* ---- the model ------------------------------------------------------------------------------- */

/* The same walk lays out the model, its update and its state. */
VDI__FN size_t vdi__lds_layout(vdi_lds *p, double *base) {
    const int64_t d = p->desc.d, n = p->desc.n, u = p->desc.inputs;
    const vdi__block_row row[VDI_LDS_PARAMS] = {
        {"A", &p->A, d, d}, {"B", &p->B, d, u},    {"Q", &p->Q, d, d},
        {"C", &p->C, n, d}, {"D", &p->D, n, u},    {"b", &p->b, n, -1},
        {"R", &p->R, n, n}, {"x0", &p->x0, d, -1}, {"Q0", &p->Q0, d, d}};
    return vdi__block_layout(row, VDI_LDS_PARAMS, base, p->tensors);
}

/* The parameters of the latents. */
VDI__FN vdi__chain vdi__lds_chain(const vdi_lds *p) {
    vdi__chain r = VDI__ZERO;
    r.d = p->desc.d;
    r.inputs = p->desc.inputs;
    r.freeze = p->desc.freeze;
    r.q_floor = p->desc.q_floor;
    r.max_radius = p->desc.max_radius;
    r.A = p->A;
    r.B = p->B;
    r.Q = p->Q;
    r.x0 = p->x0;
    r.Q0 = p->Q0;
    return r;
}

VDI__DEF vdi_status vdi_lds_create(const vdi_lds_desc *desc, vdi_lds **out, vdi_error *err) {
    vdi__block block = VDI__ZERO;
    vdi_lds shape = VDI__ZERO;
    *out = NULL;
    vdi_status status = vdi_lds_desc_check(desc, err);
    if (status == VDI_OK) status = vdi_arithmetic_check(err);
    if (status < 0) return status;
    shape.desc = vdi_lds_desc_defaults(desc);
    const size_t count = vdi__lds_layout(&shape, NULL);
    status = vdi__block_create(&shape.desc.allocator, sizeof shape, count, "vdi_lds_create", &block,
                               err);
    if (status < 0) return status;
    vdi_lds *p = (vdi_lds *)block.model;
    p->desc = shape.desc;
    p->update = block.update;
    p->param_count = count;
    p->block_size = block.size;
    p->meta = block.meta;
    (void)vdi__lds_layout(p, block.values);
    const vdi__chain chain = vdi__lds_chain(p);
    vdi__chain_start(&chain, 0);
    for (int64_t i = 0; i < p->desc.n; i++)
        p->R[i * p->desc.n + i] = 1;
    *out = p;
    return VDI_OK;
}

VDI__DEF void vdi_lds_destroy(vdi_lds *lds) {
    if (!lds) return;
    vdi_allocator a = lds->desc.allocator;
    vdi_free(&a, lds, lds->block_size);
}

VDI__DEF vdi_state vdi_lds_state(vdi_lds *lds) {
    return vdi__parameters_state(lds->tensors, VDI_LDS_PARAMS, "lds", vdi_lds_desc_fields(),
                                 &lds->desc, lds->meta);
}

/* The sign of R's variances, where it is diagonal. */
VDI__FN vdi_status vdi__lds_check_variances(const vdi_lds *lds, vdi_error *err) {
    const int64_t n = lds->desc.n;
    for (int64_t i = 0; i < n; i++) {
        const double r = lds->R[i * n + i];
        if (r >= 0 && vdi__is_finite(r)) continue;
        return vdi_error_set(err, VDI_ERR_NOT_POSITIVE_DEFINITE, "vdi_lds",
                             "R[%lld,%lld] is %g, expected a variance, 0 or more", (long long)i,
                             (long long)i, r);
    }
    return VDI_OK;
}

/* Is that a covariance? Its pivots, without a square root: where one is 0, what is left of its
 * column is 0 too, but for rounding. `work` holds n n. */
VDI__FN vdi_status vdi__lds_check_covariance(const char *name, int64_t n, const double *V,
                                             double *work, vdi_error *err) {
    const vdi_status status = vdi__covariance_symmetric(name, n, V, err);
    if (status < 0) return status;
    memcpy(work, V, (size_t)(n * n) * sizeof *work);
    for (int64_t k = 0; k < n; k++) {
        const double pivot = work[k * n + k], own = V[k * n + k];
        const double least = 1e-10 * fabs(own);
        if (!(pivot >= -least) || !(own >= 0)) {
            return vdi_error_set(err, VDI_ERR_NOT_POSITIVE_DEFINITE, "vdi_lds",
                                 "%s is not positive definite, nor semidefinite: pivot %lld of "
                                 "%lld is %g",
                                 name, (long long)k, (long long)n, pivot);
        }
        for (int64_t i = k + 1; i < n; i++) {
            const double x = work[i * n + k];
            if (pivot <= least) {
                if (fabs(x) <= 1e-5 * sqrt(own) * sqrt(fabs(V[i * n + i]))) continue;
                return vdi_error_set(err, VDI_ERR_NOT_POSITIVE_DEFINITE, "vdi_lds",
                                     "%s is not positive definite, nor semidefinite: pivot %lld "
                                     "of %lld is 0, what stands beside it is not",
                                     name, (long long)k, (long long)n);
            }
            for (int64_t j = k + 1; j <= i; j++)
                work[i * n + j] -= x * work[j * n + k] / pivot;
        }
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_lds_check(const vdi_lds *lds, vdi_error *err) {
    const vdi_lds_desc *k = &lds->desc;
    vdi_status status = VDI_OK;
    for (int i = 0; status == VDI_OK && i < VDI_LDS_PARAMS; i++) {
        if (!k->diagonal_r || lds->tensors[i].tensor.data != lds->R)
            status = vdi__parameter_finite(&lds->tensors[i], "vdi_lds_check", err);
    }
    if (status == VDI_OK && k->diagonal_r) status = vdi__lds_check_variances(lds, err);
    /* no step is under way: its block is scratch, and larger than any of the matrices */
    double *l = lds->update;
    if (status == VDI_OK) status = vdi__lds_check_covariance("Q", k->d, lds->Q, l, err);
    if (status == VDI_OK) status = vdi__lds_check_covariance("Q0", k->d, lds->Q0, l, err);
    if (status == VDI_OK && !k->diagonal_r)
        status = vdi__lds_check_covariance("R", k->n, lds->R, l, err);
    return status;
}

/* A second model over the update block, holding a copy of the parameters. */
VDI__FN vdi_lds vdi__lds_next(const vdi_lds *p) {
    vdi_lds next = *p;
    memcpy(p->update, p->A, p->param_count * sizeof(double));
    (void)vdi__lds_layout(&next, p->update);
    return next;
}
#endif
