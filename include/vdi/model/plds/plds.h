/* model/plds/plds.h - the Poisson linear dynamical system: the model and its counts; the posterior
 * is in plds_posterior.h, learning in plds_em.h, log p(y) and predictions are in plds_predict.h
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
 * Everything is float64. Trials may be ragged (`lengths`), any single count may be missing; trials
 * go through the solver in groups of eight, one per SIMD lane. All log likelihoods and bounds are
 * in nats and include log y!.
 * Memory: create and data_create allocate; nothing else does. Errors: statuses; parameters stay as
 * they were. Threads: one object per thread, or data_desc.pool (groups of trials, neurons); the
 * number of threads does not show in the bits. Formulas: docs/guide/plds.md. What it does not do:
 * inputs to the latents (an offset reaches the rates), links other than exp, spike history.
 */
#ifndef VDI_MODEL_PLDS_PLDS_H
#define VDI_MODEL_PLDS_PLDS_H
#include "../../linalg/quadrature.h"
#include "../lds/lds.h"

/** Which Gaussian stands for the posterior. */
typedef enum vdi_plds_method {
    VDI_PLDS_VB = 0, /**< the one with the highest evidence lower bound */
    VDI_PLDS_LAPLACE /**< at the mode, with the curvature there: its bound is lower, and EM with it
                          may lower the bound */
} vdi_plds_method;

/** Description of a model; zero is the default where one is named. */
typedef struct vdi_plds_desc {
    int64_t d;               /**< latent dimension, 1 to 64 */
    int64_t n;               /**< neurons, >= 1 */
    vdi_plds_method method;  /**< default VDI_PLDS_VB */
    unsigned freeze;         /**< VDI_LDS_* bits (A, Q, C, BIAS, X0, Q0) of parameters that EM
                                  leaves alone */
    double ridge;            /**< EM's penalty ridge/2 |C|^2, nats; 0: 0.1 */
    bool no_ridge;           /**< no penalty at all */
    double q_floor;          /**< EM keeps the eigenvalues of Q and Q0 at or above this; 0: 1e-6 */
    double max_radius;       /**< EM keeps A's spectral radius at or below this; 0: 0.9995 */
    int32_t e_steps;         /**< natural-gradient steps per EM step from the posterior of the step
                                  before; 0: 3 */
    int32_t m_steps;         /**< Newton steps for C and b per EM step; 0: 2 */
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

/** Observations taken in, with all scratch memory that the model needs for them. */
typedef struct vdi_plds_data vdi_plds_data;

/** The description with defaults filled in. */
VDI_API vdi_plds_desc vdi_plds_desc_defaults(const vdi_plds_desc *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_plds_desc_check(const vdi_plds_desc *desc, vdi_error *err);
/** Make a model: A = 0.95 I, Q = (1 - 0.95^2) I, Q0 = I, the rest 0. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_create(const vdi_plds_desc *desc, vdi_plds **out,
                                                 vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_plds_destroy(vdi_plds *plds);
/** Are all parameters finite and Q, Q0 positive definite? The message says which is not. */
VDI_API vdi_status vdi_plds_check(const vdi_plds *plds, vdi_error *err);
/** The parameters as named tensors (A Q C b x0 Q0), views into the model. */
VDI_API vdi_state vdi_plds_state(vdi_plds *plds);

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

#endif /* VDI_MODEL_PLDS_PLDS_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_PLDS_C)
#define VDI_MODEL_PLDS_PLDS_C

/* Trials per group: the lanes of the solver in float64. */
#define VDI__PLDS_GROUP 8
/* The log exposure of a count that is missing: its rate is exactly 0, and it enters nothing. */
#define VDI__PLDS_NEVER (-1e300)
/* Rows that the M-step works on at a time. */
#define VDI__PLDS_CHUNK 256

/* The read-out as two tables over the features (z, z z' packed by rows of the lower triangle), K =
 * d + d(d+1)/2 of them:
 *     log rate = [m, S] in + b,       [sum_j rate_j c_j, sum_j rate_j c_j c_j'] = rate out */
typedef struct vdi__plds_readout {
    double *in;  /* (K,n): C', then c_i c_j (halved where i = j) */
    double *out; /* (n,K): C, then c_i c_j */
    double *b;   /* (n), log width included */
} vdi__plds_readout;

/* A Gaussian over each trial of a group: natural parameters (D, E, k = J m), moments, log|J|,
 * bound, and `site`, what the counts say at this Gaussian: (d) C'rate and (d(d+1)/2) C' diag(rate)
 * C, packed. */
typedef struct vdi__plds_q {
    double *D, *E, *k, *m, *S, *O; /* (trials,T,d,d), (trials,T-1,d,d), (trials,T,d), ... */
    double *site;                  /* (trials,T,K) */
    double *logdet, *elbo;         /* (trials) */
} vdi__plds_q;

/* A group of at most eight trials of at most T bins, as the searches below see it. */
typedef struct vdi__plds_fit {
    const vdi__lds_prior *prior;
    const double *first, *first_h; /* precision (d,d) and precision times mean (d) of each trial's
                                      first block, or NULL: the prior's */
    vdi__plds_readout readout;
    int64_t d, n, K, T, count, left_out; /* left_out: a neuron whose counts are not read, or -1 */
    int64_t length[VDI__PLDS_GROUP];
    const double *y[VDI__PLDS_GROUP], *offset[VDI__PLDS_GROUP]; /* (length,n); offset may be NULL */
    double constant[VDI__PLDS_GROUP];                           /* of the bound: what no Gaussian
                                                                   changes */
    vdi__plds_q now, next;
    double *yC;             /* (count,T,d): C'y */
    double *feature, *rate; /* (T,K), (T,n): of one trial at a time */
    double *rows;           /* (T,n) */
    void *bt_mem;
    size_t bt_size;
    vdi_blocktri bt;
    bool converged;
} vdi__plds_fit;

typedef struct vdi__plds_worker {
    vdi__plds_q now, next;
    double *yC, *feature, *rate, *rows;
    vdi__plds_readout readout; /* own copy, for leaving a neuron out */
    double *first, *first_h;   /* (GROUP,d,d), (GROUP,d) */
    double *small;             /* (8 d d + 4 d) */
    double *newton;            /* the M-step's */
    void *bt_mem;
    vdi_status status;
    vdi_error err;
} vdi__plds_worker;

struct vdi_plds_data {
    vdi_arena arena;
    vdi_pool *pool;
    int64_t trials, T, n, d, K, groups, rows; /* rows: bins inside the lengths */
    int64_t *lengths;                         /* (trials) */
    double *y;                                /* (trials,T,n), 0 where missing */
    double *offset; /* (trials,T,n), VDI__PLDS_NEVER where missing; NULL if nothing is missing and
                       there is none */
    double *spare;  /* (trials,T,n): the start's scratch */
    double *seen;   /* (n): observed bins */
    double *total;  /* (n): sum of counts */
    double *log_y;  /* (trials): sum of y offset - log y! */
    double log_width;
    int64_t observed_bins;
    bool warm;     /* `q` holds a posterior */
    vdi__plds_q q; /* of all trials */
    vdi__plds_readout readout;
    vdi__plds_worker *worker;
    size_t bt_size;
    double *prior_work;
    /* M-step: one column per bin inside the lengths, so that the lanes run over bins */
    double *mt, *st, *offset_t; /* (d,rows), (d(d+1)/2,rows), (n,rows) or NULL */
    double *moment;             /* (n,d): sum of y m' */
    vdi_lds_data chain;         /* the latents as lds_em.h sees them */
};

VDI__DEF vdi_plds_desc vdi_plds_desc_defaults(const vdi_plds_desc *desc) {
    vdi_plds_desc r = *desc;
    if (r.ridge == 0) r.ridge = 0.1;
    if (r.no_ridge) r.ridge = 0;
    if (r.q_floor == 0) r.q_floor = 1e-6;
    if (r.max_radius == 0) r.max_radius = 0.9995;
    if (r.e_steps == 0) r.e_steps = 3;
    if (r.m_steps == 0) r.m_steps = 2;
    r.allocator = vdi_allocator_defaults(&desc->allocator);
    return r;
}

VDI__DEF vdi_status vdi_plds_desc_check(const vdi_plds_desc *desc, vdi_error *err) {
    const char *where = "vdi_plds_desc_check";
    if (desc->d < 1 || desc->d > 64) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "d is %lld, expected 1..64",
                             (long long)desc->d);
    }
    if (desc->n < 1 || desc->n > 65536) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "n is %lld, expected 1..65536",
                             (long long)desc->n);
    }
    if (desc->method != VDI_PLDS_VB && desc->method != VDI_PLDS_LAPLACE) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "method is %d, expected VDI_PLDS_VB or VDI_PLDS_LAPLACE",
                             (int)desc->method);
    }
    if (desc->freeze >= 512u) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "freeze is %u, expected a sum of VDI_LDS_* bits", desc->freeze);
    }
    if (!(desc->ridge >= 0) || !(desc->q_floor >= 0)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "ridge is %g and q_floor %g, expected 0 or more", desc->ridge,
                             desc->q_floor);
    }
    if (!(desc->max_radius >= 0 && desc->max_radius < 1)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "max_radius is %g, expected 0 or more, and less than 1",
                             desc->max_radius);
    }
    if (desc->e_steps < 0 || desc->m_steps < 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "e_steps is %d and m_steps %d, expected 0 or more", (int)desc->e_steps,
                             (int)desc->m_steps);
    }
    return VDI_OK;
}

VDI__FN size_t vdi__plds_layout(vdi_plds *p, double *base) {
    const int64_t d = p->desc.d, n = p->desc.n;
    const vdi__block_row row[VDI_PLDS_PARAMS] = {{"A", &p->A, d, d},    {"Q", &p->Q, d, d},
                                                 {"C", &p->C, n, d},    {"b", &p->b, n, -1},
                                                 {"x0", &p->x0, d, -1}, {"Q0", &p->Q0, d, d}};
    return vdi__block_layout(row, VDI_PLDS_PARAMS, base, p->tensors);
}

VDI__DEF vdi_status vdi_plds_create(const vdi_plds_desc *desc, vdi_plds **out, vdi_error *err) {
    *out = NULL;
    vdi_status status = vdi_plds_desc_check(desc, err);
    if (status < 0) return status;
    vdi_plds_desc k = vdi_plds_desc_defaults(desc);
    vdi_plds shape = VDI__ZERO;
    double *base = NULL, *update = NULL;
    size_t size = 0;
    shape.desc = k;
    const size_t count = vdi__plds_layout(&shape, NULL);
    vdi_plds *p = (vdi_plds *)vdi__block_create(&k.allocator, sizeof *p, count, &size, &base,
                                                &update, "vdi_plds_create", err);
    if (!p) return VDI_ERR_MEMORY;
    p->desc = k;
    p->update = update;
    p->param_count = count;
    p->block_size = size;
    (void)vdi__plds_layout(p, base);
    vdi__lds_chain_start(k.d, p->A, p->Q, p->Q0);
    *out = p;
    return VDI_OK;
}

VDI__DEF void vdi_plds_destroy(vdi_plds *plds) {
    if (!plds) return;
    vdi_allocator a = plds->desc.allocator;
    vdi_free(&a, plds, plds->block_size);
}

VDI__DEF vdi_state vdi_plds_state(vdi_plds *plds) {
    vdi_state s = VDI__ZERO;
    s.tensors = plds->tensors;
    s.tensor_count = VDI_PLDS_PARAMS;
    return s;
}

VDI__DEF vdi_status vdi_plds_check(const vdi_plds *plds, vdi_error *err) {
    const vdi_plds_desc *k = &plds->desc;
    for (int i = 0; i < VDI_PLDS_PARAMS; i++) {
        if (vdi_tensor_count_nonfinite(plds->tensors[i].tensor)) {
            return vdi_error_set(err, VDI_ERR_DATA, "vdi_plds_check", "%s holds NaN or infinity",
                                 plds->tensors[i].name);
        }
    }
    double l[64 * 64]; /* 32 KiB of stack, the most that vdi takes */
    vdi_status status = vdi__lds_cholesky("Q", k->d, plds->Q, l, err);
    if (status == VDI_OK) status = vdi__lds_cholesky("Q0", k->d, plds->Q0, l, err);
    return status;
}

/* The latents' part of a model, for the functions of lds.h. */
VDI__FN vdi_lds vdi__plds_chain(const vdi_plds *p) {
    vdi_lds r = VDI__ZERO;
    r.desc.d = p->desc.d;
    r.desc.n = 1;
    r.desc.diagonal_r = true;
    r.desc.freeze = p->desc.freeze;
    r.desc.q_floor = p->desc.q_floor;
    r.desc.max_radius = p->desc.max_radius;
    r.A = p->A;
    r.Q = p->Q;
    r.x0 = p->x0;
    r.Q0 = p->Q0;
    return r;
}

/* ---- data ------------------------------------------------------------------------------------ */

VDI__FN vdi_status vdi__plds_read(vdi_plds_data *a, const vdi_plds_data_desc *desc,
                                  vdi_error *err) {
    const char *where = "vdi_plds_data_create";
    const int64_t B = a->trials, T = a->T, n = a->n;
    int64_t shape[3];
    bool missing = false;
    shape[0] = B;
    shape[1] = T;
    shape[2] = n;
    vdi_status status = vdi_tensor_copy(vdi_tensor_view(a->y, VDI_F64, 3, shape), desc->y, err);
    if (status == VDI_OK && desc->offset.data) {
        status = vdi_tensor_copy(vdi_tensor_view(a->offset, VDI_F64, 3, shape),
                                 vdi_tensor_broadcast_to(desc->offset, 3, shape), err);
    }
    if (status < 0) return status;
    for (int64_t i = 0; i < B; i++) {
        for (int64_t t = 0; t < T; t++) {
            double *y = a->y + (i * T + t) * n, *o = a->offset + (i * T + t) * n;
            int64_t count = 0;
            bool inside = t < a->lengths[i];
            for (int64_t j = 0; j < n; j++) {
                bool there = inside && y[j] == y[j];
                if (there && (!(y[j] >= 0 && y[j] < 1e9) || y[j] != floor(y[j]))) {
                    return vdi_error_set(err, VDI_ERR_DATA, where,
                                         "y[%lld,%lld,%lld] is %g, expected a count (whole, 0 to "
                                         "1e9; NaN if missing)",
                                         (long long)i, (long long)t, (long long)j, y[j]);
                }
                if (inside && !(fabs(o[j]) < HUGE_VAL)) {
                    return vdi_error_set(err, VDI_ERR_DATA, where,
                                         "offset[%lld,%lld,%lld] is %g, expected a finite number",
                                         (long long)i, (long long)t, (long long)j, o[j]);
                }
                if (there) {
                    a->total[j] += y[j];
                    a->seen[j] += 1;
                    double log_factorial = y[j] + 1;
                    if (y[j] > 1) vdi_lgamma(VDI_F64, 1, &log_factorial, &log_factorial);
                    a->log_y[i] += y[j] * o[j] - (y[j] > 1 ? log_factorial : 0);
                } else {
                    y[j] = 0;
                    o[j] = VDI__PLDS_NEVER;
                    missing |= inside;
                }
                count += there;
            }
            a->observed_bins += count > 0;
        }
        a->rows += a->lengths[i];
    }
    if (a->observed_bins == 0) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "y holds no count: %lld trials of %lld bins, all missing",
                             (long long)B, (long long)T);
    }
    if (!missing && !desc->offset.data) {
        a->spare = a->offset;
        a->offset = NULL;
    }
    return VDI_OK;
}

VDI__FN double *vdi__plds_take(vdi_plds_data *a, size_t n, bool *ok) {
    double *p = (double *)vdi_arena_calloc(&a->arena, vdi_mul_size(n, sizeof(double)));
    if (!p) *ok = false;
    return p;
}

VDI__FN void vdi__plds_take_q(vdi_plds_data *a, vdi__plds_q *q, size_t trials, bool *ok) {
    const size_t d = (size_t)a->d, bins = vdi_mul_size(trials, (size_t)a->T);
    q->D = vdi__plds_take(a, vdi_mul_size(bins, d * d), ok);
    q->E = vdi__plds_take(a, vdi_mul_size(bins, d * d), ok);
    q->S = vdi__plds_take(a, vdi_mul_size(bins, d * d), ok);
    q->O = vdi__plds_take(a, vdi_mul_size(bins, d * d), ok);
    q->k = vdi__plds_take(a, vdi_mul_size(bins, d), ok);
    q->m = vdi__plds_take(a, vdi_mul_size(bins, d), ok);
    q->site = vdi__plds_take(a, vdi_mul_size(bins, (size_t)a->K), ok);
    q->logdet = vdi__plds_take(a, trials, ok);
    q->elbo = vdi__plds_take(a, trials, ok);
}

VDI__FN void vdi__plds_take_readout(vdi_plds_data *a, vdi__plds_readout *r, bool *ok) {
    r->in = vdi__plds_take(a, (size_t)(a->K * a->n), ok);
    r->out = vdi__plds_take(a, (size_t)(a->K * a->n), ok);
    r->b = vdi__plds_take(a, (size_t)a->n, ok);
}

/* What lds_em.h asks of its data for the statistics of the latents: every trial a lane of its
 * own. */
VDI__FN void vdi__plds_take_chain(vdi_plds_data *a, bool *ok) {
    vdi_lds_data *c = &a->chain;
    const size_t d = (size_t)a->d, K = d + 1, B = (size_t)a->trials;
    c->trials = c->lanes = a->trials;
    c->rows = 1;
    c->T = a->T;
    c->n = 1;
    c->d = a->d;
    c->lengths = c->lane_lengths = a->lengths;
    c->lane_of = (int64_t *)vdi_arena_calloc(&a->arena, B * sizeof(int64_t));
    c->row_of = (int64_t *)vdi_arena_calloc(&a->arena, B * sizeof(int64_t));
    c->lane_weight = vdi__plds_take(a, B, ok);
    c->small = vdi__plds_take(a, 12 * d * d + 8 * d, ok);
    c->em = vdi__plds_take(a, 8 * K * K + 4 * K + 4 + 16 * d * d + 4 * d + 64, ok);
    if (!c->lane_of || !c->row_of) *ok = false;
    for (int64_t i = 0; *ok && i < a->trials; i++) {
        c->lane_of[i] = i;
        c->lane_weight[i] = 1;
    }
}

VDI__FN vdi_status vdi__plds_scratch(vdi_plds_data *a, vdi_error *err) {
    const size_t d = (size_t)a->d;
    const size_t dd = d * d;
    const size_t n = (size_t)a->n;
    const size_t T = (size_t)a->T;
    const size_t K = (size_t)a->K;
    const size_t G = VDI__PLDS_GROUP;
    const int workers = vdi_pool_threads(a->pool);
    vdi_blocktri_desc bd = VDI__ZERO;
    bool ok = true;
    /* scratch for a group of eight, and for one of fewer, which may be laid out in another way */
    bd.dtype = VDI_F64;
    bd.T = a->T;
    bd.d = a->d;
    bd.lengths = a->lengths;
    for (bd.trials = 1; bd.trials <= VDI__PLDS_GROUP; bd.trials++)
        a->bt_size = VDI__MAX(a->bt_size, vdi_blocktri_memsize(&bd));
    a->groups = (a->trials + VDI__PLDS_GROUP - 1) / VDI__PLDS_GROUP;
    vdi__plds_take_q(a, &a->q, (size_t)a->trials, &ok);
    vdi__plds_take_readout(a, &a->readout, &ok);
    vdi__plds_take_chain(a, &ok);
    a->prior_work = vdi__plds_take(a, VDI__LDS_PRIOR_WORK(d), &ok);
    a->mt = vdi__plds_take(a, vdi_mul_size((size_t)a->rows, d), &ok);
    a->st = vdi__plds_take(a, vdi_mul_size((size_t)a->rows, K - d), &ok);
    if (a->offset) a->offset_t = vdi__plds_take(a, vdi_mul_size((size_t)a->rows, n), &ok);
    a->moment = vdi__plds_take(a, n * d, &ok);
    if (!a->spare) a->spare = vdi__plds_take(a, vdi_mul_size((size_t)a->trials * T, n), &ok);
    a->worker =
        (vdi__plds_worker *)vdi_arena_calloc(&a->arena, (size_t)workers * sizeof *a->worker);
    for (int w = 0; a->worker && w < workers; w++) {
        vdi__plds_worker *k = &a->worker[w];
        vdi__plds_take_q(a, &k->now, G, &ok);
        vdi__plds_take_q(a, &k->next, G, &ok);
        vdi__plds_take_readout(a, &k->readout, &ok);
        k->yC = vdi__plds_take(a, vdi_mul_size(G * d, T), &ok);
        k->feature = vdi__plds_take(a, vdi_mul_size(K, T), &ok);
        k->rate = vdi__plds_take(a, vdi_mul_size(n, T), &ok);
        k->rows = vdi__plds_take(a, vdi_mul_size(n, T), &ok);
        k->first = vdi__plds_take(a, G * dd, &ok);
        k->first_h = vdi__plds_take(a, G * d, &ok);
        k->small = vdi__plds_take(a, 8 * dd + 8 * d, &ok);
        k->newton = vdi__plds_take(a, (d + 1) * (d + 4) + (d + 2) * VDI__PLDS_CHUNK, &ok);
        k->bt_mem = vdi_arena_alloc(&a->arena, a->bt_size);
        if (!k->bt_mem) ok = false;
    }
    if (!ok || !a->worker) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_plds_data_create",
                             "no memory for %lld trials of %lld bins, %lld neurons, %lld latents",
                             (long long)a->trials, (long long)a->T, (long long)a->n,
                             (long long)a->d);
    }
    for (int64_t i = 0, r = 0; a->offset_t && i < a->trials; i++) {
        for (int64_t t = 0; t < a->lengths[i]; t++, r++) {
            for (int64_t j = 0; j < a->n; j++)
                a->offset_t[j * a->rows + r] = a->offset[(i * a->T + t) * a->n + j];
        }
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_plds_data_create(const vdi_plds *plds, const vdi_plds_data_desc *desc,
                                         vdi_plds_data **out, vdi_error *err) {
    const char *where = "vdi_plds_data_create";
    const int64_t n = plds->desc.n, d = plds->desc.d;
    char text[VDI_SHAPE_TEXT];
    vdi_tensor y = desc->y, offset = desc->offset;
    *out = NULL;
    if ((y.ndim != 2 && y.ndim != 3) || !y.data || y.shape[y.ndim - 1] != n) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "y is %s, expected (trials,T,%lld) or (T,%lld)",
                             vdi_tensor_shape_text(y, text), (long long)n, (long long)n);
    }
    int64_t B = y.ndim == 3 ? y.shape[0] : 1, T = y.shape[y.ndim - 2], shape[3];
    if (B < 1 || T < 1) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "y is %s: there is nothing in it",
                             vdi_tensor_shape_text(y, text));
    }
    shape[0] = B;
    shape[1] = T;
    shape[2] = n;
    if (offset.data && vdi_tensor_broadcast_to(offset, 3, shape).ndim != 3) {
        return vdi_error_set(
            err, VDI_ERR_SHAPE, where, "offset is %s, which does not broadcast to (%lld,%lld,%lld)",
            vdi_tensor_shape_text(offset, text), (long long)B, (long long)T, (long long)n);
    }
    if (!(desc->width >= 0 && desc->width < HUGE_VAL)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "width is %g, expected a positive number", desc->width);
    }
    for (int64_t i = 0; desc->lengths && i < B; i++) {
        if (desc->lengths[i] < 0 || desc->lengths[i] > T) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "lengths[%lld] is %lld, expected 0..%lld", (long long)i,
                                 (long long)desc->lengths[i], (long long)T);
        }
    }
    vdi_arena arena;
    vdi_arena_init(&arena, &desc->allocator, 0);
    size_t values = vdi_mul_size(vdi_mul_size((size_t)B, (size_t)T), (size_t)n);
    vdi_plds_data *a = (vdi_plds_data *)vdi_arena_calloc(&arena, sizeof *a);
    vdi_status status = VDI_ERR_MEMORY;
    bool ok = true;
    if (a) {
        a->arena = arena;
        a->trials = B;
        a->T = T;
        a->n = n;
        a->d = d;
        a->K = d + d * (d + 1) / 2;
        a->pool = desc->pool;
        a->log_width = desc->width > 0 ? log(desc->width) : 0;
        a->lengths = (int64_t *)vdi_arena_alloc(&a->arena, (size_t)B * sizeof(int64_t));
        a->y = vdi__plds_take(a, values, &ok);
        a->offset = vdi__plds_take(a, values, &ok);
        a->seen = vdi__plds_take(a, (size_t)n, &ok);
        a->total = vdi__plds_take(a, (size_t)n, &ok);
        a->log_y = vdi__plds_take(a, (size_t)B, &ok);
        if (a->lengths && ok) {
            for (int64_t i = 0; i < B; i++)
                a->lengths[i] = desc->lengths ? desc->lengths[i] : T;
            status = vdi__plds_read(a, desc, err);
            if (status == VDI_OK) status = vdi__plds_scratch(a, err);
        } else {
            (void)vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu values", values);
        }
        arena = a->arena;
    } else {
        (void)vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu values", values);
    }
    if (status < 0)
        vdi_arena_free(&arena);
    else
        *out = a;
    return status;
}

VDI__DEF void vdi_plds_data_destroy(vdi_plds_data *data) {
    if (!data) return;
    vdi_arena arena = data->arena; /* the object lies in its own arena */
    vdi_arena_free(&arena);
}

VDI__DEF int64_t vdi_plds_data_trials(const vdi_plds_data *data) { return data->trials; }
VDI__DEF int64_t vdi_plds_data_bins(const vdi_plds_data *data) { return data->T; }
VDI__DEF int64_t vdi_plds_data_observed_bins(const vdi_plds_data *data) {
    return data->observed_bins;
}
VDI__DEF void vdi_plds_data_reset(vdi_plds_data *data) { data->warm = false; }

VDI__FN vdi_status vdi__plds_fits(const vdi_plds *p, const vdi_plds_data *a, const char *where,
                                  vdi_error *err) {
    if (p->desc.d == a->d && p->desc.n == a->n) return VDI_OK;
    return vdi_error_set(
        err, VDI_ERR_SHAPE, where, "data were made for d %lld, n %lld, the model has %lld, %lld",
        (long long)a->d, (long long)a->n, (long long)p->desc.d, (long long)p->desc.n);
}
#endif
