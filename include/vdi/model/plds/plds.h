/* model/plds/plds.h - the Poisson linear dynamical system: the model and its counts
 *
 *     z_1 ~ N(x0, Q0),   z_t = A z_{t-1} + N(0,Q),   y_t ~ Poisson(width exp(C z_t + b + offset_t))
 *
 * Do this:
 *     vdi_plds_desc desc = {0};
 *     desc.d = 3;
 *     desc.n = 20;
 *     vdi_plds *plds;
 *     vdi_plds_create(&desc, &plds, &err);
 *     vdi_plds_data_desc dd = {0};
 *     dd.y = vdi_tensor_3d(y, VDI_F64, trials, T, 20);   counts; NaN marks a missing value
 *     vdi_plds_data *counts;
 *     vdi_plds_data_create(plds, &dd, &counts, &err);
 *     vdi_plds_init(plds, counts, 1, &err);
 *     for (int i = 0; i < 40; i++) vdi_plds_em_step(plds, counts, &elbo, &err);
 *     vdi_plds_moments out = {0};
 *     out.mean = means;                                  (trials,T,d)
 *     vdi_plds_infer(plds, counts, &out, &err);
 *
 * The posterior and its bound are in posterior.h, learning in em.h and its start in start.h, log
 * p(y) and drawing in sample.h, predictions in predict.h.
 * Everything is float64. Trials may be ragged (`lengths`), any single count may be missing; trials
 * go through the solver in groups of eight, one per SIMD lane. All log likelihoods and bounds are
 * in nats and include log y!.
 * Memory: create and data_create allocate; nothing else does. Errors: statuses; parameters stay as
 * they were. Threads: one object per thread, or data_desc.pool (groups of trials, neurons); the
 * bits do not depend on the number of threads. Formulas: docs/guide/plds.md. What it does not do:
 * inputs to the latents (an offset acts on the rates), links other than exp, spike history.
 */
#ifndef VDI_MODEL_PLDS_PLDS_H
#define VDI_MODEL_PLDS_PLDS_H
#include "../../core/field.h"
#include "../../core/log.h"
#include "../../core/pool.h"
#include "../lds/chain.h"
#include "../lds/series.h"

/** Which Gaussian stands for the posterior. */
typedef enum vdi_plds_method {
    VDI_PLDS_VB = 0, /**< the one with the highest evidence lower bound */
    VDI_PLDS_LAPLACE /**< at the mode, with the curvature there: its bound is lower, and EM with it
                          may lower the bound */
} vdi_plds_method;

/** Description of a model; zero is the default of each field (vdi_plds_desc_fields). */
typedef struct vdi_plds_desc {
    int64_t d;               /**< latent dimension */
    int64_t n;               /**< neurons */
    vdi_plds_method method;  /**< default VDI_PLDS_VB */
    unsigned freeze;         /**< VDI_LDS_* bits (A, Q, C, BIAS, X0, Q0) of parameters that EM
                                  leaves alone */
    double ridge;            /**< EM's penalty ridge/2 |C|^2, nats */
    bool has_ridge;          /**< take `ridge` as it stands: 0 is no penalty */
    double q_floor;          /**< EM keeps the eigenvalues of Q and Q0 at or above this; 0: in units
                                  of the latents' variances 1e-6, or what they have if that is
                                  less */
    double max_radius;       /**< EM keeps A's spectral radius at or below this */
    int32_t e_steps;         /**< natural-gradient steps per EM step from the posterior of the step
                                  before */
    int32_t m_steps;         /**< Newton steps for C and b per EM step */
    vdi_allocator allocator; /**< zero: malloc and free */
    vdi_logger logger;       /**< zero: silent */
} vdi_plds_desc;

/** How many parameters there are. */
#define VDI_PLDS_PARAMS 6

/** A model: the parameters are yours to read and to set. All row-major float64. */
typedef struct vdi_plds {
    vdi_plds_desc desc; /**< as it was given, with defaults filled in */
    double *A;          /**< (d,d) */
    double *Q;          /**< (d,d) */
    double *C;          /**< (n,d) */
    double *b;          /**< (n): log rate per unit of width at z = 0 */
    double *x0;         /**< (d) */
    double *Q0;         /**< (d,d) */
    /* private */
    double *update; /* the parameters of the step under way, same layout */
    size_t param_count, block_size;
    vdi_named_tensor tensors[VDI_PLDS_PARAMS];
    vdi_meta_list *meta; /* of vdi_plds_state */
} vdi_plds;

/** Counts for one model. */
typedef struct vdi_plds_data_desc {
    vdi_tensor y;            /**< (trials,T,n) or (T,n), any dtype: whole numbers >= 0, NaN =
                                  missing */
    vdi_tensor offset;       /**< added to the log rate, broadcast to the shape of y, finite; zero:
                                  none */
    double width;            /**< bin width: C z + b is then the log of a rate per unit of it; 0: 1
                                  (rates per bin) */
    const int64_t *lengths;  /**< (trials), bins of each trial that count; NULL: T */
    vdi_pool *pool;          /**< NULL: the caller's thread */
    vdi_allocator allocator; /**< zero: malloc and free */
} vdi_plds_data_desc;

/** Observations taken in, with all scratch memory that the model needs for them: opaque. */
typedef struct vdi_plds_data vdi_plds_data;

/** Name, default, range and help of each field of a description. */
VDI_API const vdi_fields *vdi_plds_desc_fields(void);
/** The description with defaults filled in. */
VDI_API vdi_plds_desc vdi_plds_desc_defaults(const vdi_plds_desc *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_plds_desc_check(const vdi_plds_desc *desc, vdi_error *err);
/** The description of the model whose metadata these are (vdi_plds_state); allocator and logger
 * stay as they are. VDI_ERR_FORMAT names the key that is missing or wrong. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_desc_from_meta(vdi_plds_desc *desc, const vdi_meta *meta,
                                                         int64_t count, vdi_error *err);
/** Make a model: A = 0.95 I, Q = (1 - 0.95^2) I, Q0 = I, the rest 0. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_create(const vdi_plds_desc *desc, vdi_plds **out,
                                                 vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_plds_destroy(vdi_plds *plds);
/** Are all parameters finite and Q, Q0 positive definite? The message says which is not. */
VDI_API vdi_status vdi_plds_check(const vdi_plds *plds, vdi_error *err);
/** The parameters as named tensors (A Q C b x0 Q0), views into the model, and as metadata the
 * description. */
VDI_API vdi_state vdi_plds_state(vdi_plds *plds);

/** Name, default, range and help of the numbers in a description of data. */
VDI_API const vdi_fields *vdi_plds_data_desc_fields(void);
/** VDI_OK, or what does not fit the model: VDI_ERR_SHAPE, VDI_ERR_ARGUMENT. */
VDI_API vdi_status vdi_plds_data_desc_check(const vdi_plds *plds, const vdi_plds_data_desc *desc,
                                            vdi_error *err);
/** Take in counts: checks them and allocates all scratch. The tensors are copied. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_data_create(const vdi_plds *plds,
                                                      const vdi_plds_data_desc *desc,
                                                      vdi_plds_data **out, vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_plds_data_destroy(vdi_plds_data *data);
VDI_API int64_t vdi_plds_data_trials(const vdi_plds_data *data);
VDI_API int64_t vdi_plds_data_bins(const vdi_plds_data *data);
/** Bins with at least one observed count, summed over trials: what a bound per bin divides by. */
VDI_API int64_t vdi_plds_data_observed_bins(const vdi_plds_data *data);
/** Forget the posterior that the data carry from call to call (every search starts from it), so
 * that the next starts from the prior. */
VDI_API void vdi_plds_data_reset(vdi_plds_data *data);
/** That posterior by name, live (moments D, E, k, m, S, O as in data.h, logdet, and whether there
 * is one): with the parameters of the model that is all a fit needs to go on to the same bits. */
VDI_API const vdi_state *vdi_plds_data_state(vdi_plds_data *data);

#endif /* VDI_MODEL_PLDS_PLDS_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_PLDS_C)
#define VDI_MODEL_PLDS_PLDS_C

/* ---- descriptions ---------------------------------------------------------------------------- */

static const char *const vdi__plds_method_names[] = {"vb", "laplace", NULL};

static const vdi_field vdi__plds_fields[] = {
    VDI_FIELD_INT_FLAGS(vdi_plds_desc, d, 0, 1, 64, VDI_FIELD_REQUIRED, "latent dimension"),
    VDI_FIELD_INT_FLAGS(vdi_plds_desc, n, 0, 1, 65536, VDI_FIELD_REQUIRED, "neurons"),
    VDI_FIELD_ENUM(vdi_plds_desc, method, vdi__plds_method_names,
                   "the Gaussian that stands for the posterior: of the highest bound, or at the "
                   "mode"),
    VDI_FIELD_INT32(vdi_plds_desc, freeze, 0, 0, VDI__LDS_FREEZE_ALL,
                    "parameters that EM leaves alone: a sum of A 1, Q 4, C 8, b 32, x0 128, "
                    "Q0 256"),
    VDI_FIELD_REAL_TWIN(vdi_plds_desc, ridge, has_ridge, 0.1, 0, 1e300, 0,
                        "penalty ridge/2 |C|^2, nats"),
    VDI_FIELD_REAL_FLAGS(vdi_plds_desc, q_floor, 0, 0, 1e300, VDI_FIELD_COMPUTED,
                         "least eigenvalue of Q and Q0; default: 1e-6 of the latents' variances"),
    VDI_FIELD_REAL_FLAGS(vdi_plds_desc, max_radius, 0.9995, 0, 1, VDI_FIELD_BELOW,
                         "largest spectral radius of A"),
    VDI_FIELD_INT32(vdi_plds_desc, e_steps, 3, 1, 1 << 20,
                    "natural-gradient steps of the posterior in an EM step"),
    VDI_FIELD_INT32(vdi_plds_desc, m_steps, 2, 1, 1 << 20, "Newton steps of C and b in an EM step"),
};

VDI__DEF const vdi_fields *vdi_plds_desc_fields(void) {
    static const vdi_fields fields = {"vdi_plds_desc", vdi__plds_fields,
                                      VDI__COUNT(vdi__plds_fields)};
    return &fields;
}

VDI__DEF vdi_plds_desc vdi_plds_desc_defaults(const vdi_plds_desc *desc) {
    vdi_plds_desc r = *desc;
    vdi_fields_fill(vdi_plds_desc_fields(), &r);
    r.allocator = vdi_allocator_defaults(&desc->allocator);
    return r;
}

VDI__DEF vdi_status vdi_plds_desc_check(const vdi_plds_desc *desc, vdi_error *err) {
    const vdi_plds_desc d = vdi_plds_desc_defaults(desc);
    return vdi_fields_check(vdi_plds_desc_fields(), &d, err);
}

VDI__DEF vdi_status vdi_plds_desc_from_meta(vdi_plds_desc *desc, const vdi_meta *meta,
                                            int64_t count, vdi_error *err) {
    const vdi_status status =
        vdi__meta_check_kind(meta, count, "plds", "vdi_plds_desc_from_meta", err);
    return status < 0 ? status : vdi_fields_read(vdi_plds_desc_fields(), desc, meta, count, err);
}

/* ---- the model ------------------------------------------------------------------------------- */

VDI__FN size_t vdi__plds_layout(vdi_plds *p, double *base) {
    const int64_t d = p->desc.d, n = p->desc.n;
    const vdi__block_row row[VDI_PLDS_PARAMS] = {{"A", &p->A, d, d},    {"Q", &p->Q, d, d},
                                                 {"C", &p->C, n, d},    {"b", &p->b, n, -1},
                                                 {"x0", &p->x0, d, -1}, {"Q0", &p->Q0, d, d}};
    return vdi__block_layout(row, VDI_PLDS_PARAMS, base, p->tensors);
}

/* The parameters of the latents. */
VDI__FN vdi__chain vdi__plds_chain(const vdi_plds *p) {
    vdi__chain r = VDI__ZERO;
    r.d = p->desc.d;
    r.freeze = p->desc.freeze;
    r.q_floor = p->desc.q_floor;
    r.max_radius = p->desc.max_radius;
    r.A = p->A;
    r.Q = p->Q;
    r.x0 = p->x0;
    r.Q0 = p->Q0;
    return r;
}

VDI__DEF vdi_status vdi_plds_create(const vdi_plds_desc *desc, vdi_plds **out, vdi_error *err) {
    vdi__block block = VDI__ZERO;
    vdi_plds shape = VDI__ZERO;
    *out = NULL;
    vdi_status status = vdi_plds_desc_check(desc, err);
    if (status == VDI_OK) status = vdi_arithmetic_check(err);
    if (status < 0) return status;
    shape.desc = vdi_plds_desc_defaults(desc);
    const size_t count = vdi__plds_layout(&shape, NULL);
    status = vdi__block_create(&shape.desc.allocator, sizeof shape, count, "vdi_plds_create",
                               &block, err);
    if (status < 0) return status;
    vdi_plds *p = (vdi_plds *)block.model;
    p->desc = shape.desc;
    p->update = block.update;
    p->param_count = count;
    p->block_size = block.size;
    p->meta = block.meta;
    (void)vdi__plds_layout(p, block.values);
    const vdi__chain chain = vdi__plds_chain(p);
    vdi__chain_start(&chain, 0);
    *out = p;
    return VDI_OK;
}

VDI__DEF void vdi_plds_destroy(vdi_plds *plds) {
    if (!plds) return;
    vdi_allocator a = plds->desc.allocator;
    vdi_free(&a, plds, plds->block_size);
}

VDI__DEF vdi_state vdi_plds_state(vdi_plds *plds) {
    return vdi__parameters_state(plds->tensors, VDI_PLDS_PARAMS, "plds", vdi_plds_desc_fields(),
                                 &plds->desc, plds->meta);
}

VDI__DEF vdi_status vdi_plds_check(const vdi_plds *plds, vdi_error *err) {
    const int64_t d = plds->desc.d;
    vdi_status status = VDI_OK;
    for (int i = 0; status == VDI_OK && i < VDI_PLDS_PARAMS; i++)
        status = vdi__parameter_finite(&plds->tensors[i], "vdi_plds_check", err);
    /* no step is under way: its block is scratch, and larger than any of the matrices */
    if (status == VDI_OK) status = vdi__covariance_factor("Q", d, plds->Q, plds->update, err);
    if (status == VDI_OK) status = vdi__covariance_factor("Q0", d, plds->Q0, plds->update, err);
    return status;
}

/* A second model over the update block, holding a copy of the parameters. */
VDI__FN vdi_plds vdi__plds_next(const vdi_plds *p) {
    vdi_plds next = *p;
    memcpy(p->update, p->A, p->param_count * sizeof(double));
    (void)vdi__plds_layout(&next, p->update);
    return next;
}
#endif
