/* model/plds.h - the Poisson linear dynamical system: the best Gaussian posterior of its latents, and the evidence lower bound; learning is
 * in plds_em.h, log p(y) and predictions are in plds_predict.h
 *
 *     z_1 ~ N(x0, Q0),   z_t = A z_{t-1} + N(0,Q),   y_t ~ Poisson(width exp(C z_t + b + offset_t))
 *
 * Do this:
 *     vdi_plds_desc desc = {0};
 *     desc.d = 3, desc.n = 20;
 *     vdi_plds *plds;
 *     vdi_plds_create(&desc, &plds, &err);
 *     vdi_plds_data_desc dd = {0};
 *     dd.y = vdi_tensor_3d(y, VDI_F64, trials, T, 20);                      counts; NaN marks a missing value
 *     vdi_plds_data *counts;
 *     vdi_plds_data_create(plds, &dd, &counts, &err);
 *     vdi_plds_init(plds, counts, 1, &err);
 *     for (int i = 0; i < 40; i++) vdi_plds_em_step(plds, counts, &elbo, &err);
 *     vdi_plds_moments out = {0};
 *     out.mean = means;                                                     (trials,T,d)
 *     vdi_plds_infer(plds, counts, &out, &err);
 *
 * The posterior over all bins of a trial is sought among all Gaussians. The best of them has a block-tridiagonal precision (the prior's,
 * plus one d x d block per bin), and with an exponential read-out every expectation is closed: E exp(c'z + b) = exp(c'm + b + c'Sc/2). It
 * is reached by natural-gradient steps in the precision and in precision times mean; a step that lowers a trial's bound is undone and
 * shortened, so the bound never falls. VDI_PLDS_LAPLACE takes the mode and the curvature there instead; it is here for comparison.
 * Everything is float64. Trials may be ragged (`lengths`), any single count may be missing; trials go through the solver in groups of
 * eight, one per SIMD lane. All log likelihoods and bounds are in nats and include log y!.
 * Memory: create and data_create allocate; nothing else does. Errors: statuses; parameters stay as they were. Threads: one object per
 * thread, or data_desc.pool (groups of trials, neurons); the number of threads does not show in the bits. Formulas: docs/plds.md.
 * What it does not do: inputs to the latents (an offset reaches the rates), links other than exp, spike history.
 */
#ifndef VDI_MODEL_PLDS_H
#define VDI_MODEL_PLDS_H
#include "../linalg/quadrature.h"
#include "lds.h"

/** Which Gaussian stands for the posterior. */
typedef enum vdi_plds_method {
    VDI_PLDS_VB = 0, /**< the one with the highest evidence lower bound */
    VDI_PLDS_LAPLACE /**< at the mode, with the curvature there: its bound is lower, and EM with it may lower the bound */
} vdi_plds_method;

/** Description of a model; zero is the default where one is named. */
typedef struct vdi_plds_desc {
    int64_t d;               /**< latent dimension, 1 to 64 */
    int64_t n;               /**< neurons, >= 1 */
    vdi_plds_method method;  /**< default VDI_PLDS_VB */
    unsigned freeze;         /**< VDI_LDS_* bits (A, Q, C, BIAS, X0, Q0) of parameters that EM leaves alone */
    double ridge;            /**< EM's penalty ridge/2 |C|^2, nats; 0: 0.1 */
    bool no_ridge;           /**< no penalty at all */
    double q_floor;          /**< EM keeps the eigenvalues of Q and Q0 at or above this; 0: 1e-6 */
    double max_radius;       /**< EM keeps A's spectral radius at or below this; 0: 0.9995 */
    int32_t e_steps;         /**< natural-gradient steps per EM step from the posterior of the step before; 0: 3 */
    int32_t m_steps;         /**< Newton steps for C and b per EM step; 0: 2 */
    vdi_allocator allocator; /**< zero: malloc and free */
    vdi_logger logger;       /**< zero: silent */
} vdi_plds_desc;

/** How many parameters there are. */
#define VDI_PLDS_PARAMS 6

/** A model: the parameters are yours to read and to set. All row-major float64. */
typedef struct vdi_plds {
    vdi_plds_desc desc; /**< as it was given, with defaults filled in */
    double *A;  /**< (d,d) */
    double *Q;  /**< (d,d) */
    double *C;  /**< (n,d) */
    double *b;  /**< (n): log rate per unit of width at z = 0 */
    double *x0; /**< (d) */
    double *Q0; /**< (d,d) */
    /* private */
    double *update; /* the parameters of the step under way, same layout */
    size_t param_count, block_size;
    vdi_named_tensor tensors[VDI_PLDS_PARAMS];
} vdi_plds;

/** Counts for one model. */
typedef struct vdi_plds_data_desc {
    vdi_tensor y;            /**< (trials,T,n) or (T,n), any dtype: whole numbers >= 0, NaN = missing */
    vdi_tensor offset;       /**< added to the log rate, broadcast to the shape of y, finite; zero: none */
    double width;            /**< bin width: C z + b is then the log of a rate per unit of it; 0: 1 (rates per bin) */
    const int64_t *lengths;  /**< (trials), bins of each trial that count; NULL: T */
    vdi_pool *pool;          /**< NULL: the caller's thread */
    vdi_allocator allocator; /**< zero: malloc and free */
} vdi_plds_data_desc;

/** Observations taken in, with all scratch memory that the model needs for them. */
typedef struct vdi_plds_data vdi_plds_data;

/** Where vdi_plds_infer writes; NULL members are not computed. What lies behind a trial's length is 0. */
typedef struct vdi_plds_moments {
    double *mean;   /**< (trials,T,d) */
    double *cov;    /**< (trials,T,d,d): Cov(z_t) */
    double *lagcov; /**< (trials,T-1,d,d): Cov(z_{t+1}, z_t) */
    double *rate;   /**< (trials,T,n): posterior mean of the expected count, width and offset included */
    double *elbo;   /**< (trials): evidence lower bound, nats, every constant included */
} vdi_plds_moments;

/** The description with defaults filled in. */
VDI_API vdi_plds_desc vdi_plds_desc_defaults(const vdi_plds_desc *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_plds_desc_check(const vdi_plds_desc *desc, vdi_error *err);
/** Make a model: A = 0.95 I, Q = (1 - 0.95^2) I, Q0 = I, the rest 0. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_create(const vdi_plds_desc *desc, vdi_plds **out, vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_plds_destroy(vdi_plds *plds);
/** Are all parameters finite and Q, Q0 positive definite? The message says which is not. */
VDI_API vdi_status vdi_plds_check(const vdi_plds *plds, vdi_error *err);
/** The parameters as named tensors (A Q C b x0 Q0), views into the model. */
VDI_API vdi_state vdi_plds_state(vdi_plds *plds);

/** Take in counts: checks them and allocates all scratch. The tensors are copied. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_data_create(const vdi_plds *plds, const vdi_plds_data_desc *desc, vdi_plds_data **out,
                                                      vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_plds_data_destroy(vdi_plds_data *data);
VDI_API int64_t vdi_plds_data_trials(const vdi_plds_data *data);
VDI_API int64_t vdi_plds_data_bins(const vdi_plds_data *data);
/** Bins with at least one observed count, summed over trials: what a bound per bin divides by. */
VDI_API int64_t vdi_plds_data_observed_bins(const vdi_plds_data *data);
/** Forget the posterior that the data carry from call to call (every search starts from it), so that the next starts from the prior. */
VDI_API void vdi_plds_data_reset(vdi_plds_data *data);

/** The posterior of every trial, to convergence. VDI_NOT_CONVERGED if a trial was still rising by more than 1e-9 of its bound after 200
 * steps; the results are then valid, if not the best. VDI_ERR_NUMERIC if a bound is not finite. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_infer(const vdi_plds *plds, vdi_plds_data *data, const vdi_plds_moments *out, vdi_error *err);
/** As vdi_plds_infer, the bound alone: elbo (trials) may be NULL; *sum over trials may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_elbo(const vdi_plds *plds, vdi_plds_data *data, double *elbo, double *sum, vdi_error *err);
#endif /* VDI_MODEL_PLDS_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_C)
#define VDI_MODEL_PLDS_C

/* Trials per group: the lanes of the solver in float64. */
#define VDI__PLDS_GROUP 8
/* The log exposure of a count that is missing: its rate is exactly 0, and it enters nothing. */
#define VDI__PLDS_NEVER (-1e300)
/* Rows that the M-step works on at a time. */
#define VDI__PLDS_CHUNK 256

/* The read-out as two tables over the features (z, z z' packed by rows of the lower triangle), K = d + d(d+1)/2 of them:
 *     log rate = [m, S] in + b,       [sum_j rate_j c_j, sum_j rate_j c_j c_j'] = rate out */
typedef struct vdi__plds_readout {
    double *in;  /* (K,n): C', then c_i c_j (halved where i = j) */
    double *out; /* (n,K): C, then c_i c_j */
    double *b;   /* (n), log width included */
} vdi__plds_readout;

/* A Gaussian over each trial of a group: natural parameters (D, E, k = J m), moments, log|J|, bound, and `site`, what the counts say at
 * this Gaussian: (d) C'rate and (d(d+1)/2) C' diag(rate) C, packed. */
typedef struct vdi__plds_q {
    double *D, *E, *k, *m, *S, *O; /* (trials,T,d,d), (trials,T-1,d,d), (trials,T,d), ... */
    double *site;                  /* (trials,T,K) */
    double *logdet, *elbo;         /* (trials) */
} vdi__plds_q;

/* A group of at most eight trials of at most T bins, as the searches below see it. */
typedef struct vdi__plds_fit {
    const vdi__lds_prior *prior;
    const double *first, *first_h; /* precision (d,d) and precision times mean (d) of each trial's first block, or NULL: the prior's */
    vdi__plds_readout readout;
    int64_t d, n, K, T, count, left_out; /* left_out: a neuron whose counts are not read, or -1 */
    int64_t length[VDI__PLDS_GROUP];
    const double *y[VDI__PLDS_GROUP], *offset[VDI__PLDS_GROUP]; /* (length,n); offset may be NULL */
    double constant[VDI__PLDS_GROUP];                           /* of the bound: what no Gaussian changes */
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
    double *offset; /* (trials,T,n), VDI__PLDS_NEVER where missing; NULL if nothing is missing and there is none */
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
    if (desc->d < 1 || desc->d > 64) return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "d is %lld, expected 1..64", (long long)desc->d);
    if (desc->n < 1 || desc->n > 65536)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "n is %lld, expected 1..65536", (long long)desc->n);
    if (desc->method != VDI_PLDS_VB && desc->method != VDI_PLDS_LAPLACE)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "method is %d, expected VDI_PLDS_VB or VDI_PLDS_LAPLACE", (int)desc->method);
    if (desc->freeze >= 512u)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "freeze is %u, expected a sum of VDI_LDS_* bits", desc->freeze);
    if (!(desc->ridge >= 0) || !(desc->q_floor >= 0))
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "ridge is %g and q_floor %g, expected 0 or more", desc->ridge, desc->q_floor);
    if (!(desc->max_radius >= 0 && desc->max_radius < 1))
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "max_radius is %g, expected 0 or more, and less than 1", desc->max_radius);
    if (desc->e_steps < 0 || desc->m_steps < 0)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "e_steps is %d and m_steps %d, expected 0 or more", (int)desc->e_steps,
                             (int)desc->m_steps);
    return VDI_OK;
}

VDI__FN size_t vdi__plds_layout(const vdi_plds_desc *k, double *base, double **pointer[VDI_PLDS_PARAMS], vdi_named_tensor *tensors) {
    static const char *const name[VDI_PLDS_PARAMS] = {"A", "Q", "C", "b", "x0", "Q0"};
    size_t at = 0;
    for (int i = 0; i < VDI_PLDS_PARAMS; i++) {
        bool vector = i == 3 || i == 4;
        int64_t rows = i == 2 || i == 3 ? k->n : k->d, cols = vector ? 1 : k->d;
        if (pointer) *pointer[i] = base + at;
        if (tensors) {
            tensors[i].name = name[i];
            tensors[i].tensor = vector ? vdi_tensor_1d(base + at, VDI_F64, rows) : vdi_tensor_2d(base + at, VDI_F64, rows, cols);
        }
        at += (size_t)(rows * cols);
    }
    return at;
}

VDI__FN void vdi__plds_pointers(vdi_plds *p, double *base) {
    double **pointer[VDI_PLDS_PARAMS];
    pointer[0] = &p->A, pointer[1] = &p->Q, pointer[2] = &p->C, pointer[3] = &p->b, pointer[4] = &p->x0, pointer[5] = &p->Q0;
    (void)vdi__plds_layout(&p->desc, base, pointer, p->tensors);
}

VDI__DEF vdi_status vdi_plds_create(const vdi_plds_desc *desc, vdi_plds **out, vdi_error *err) {
    *out = NULL;
    vdi_status status = vdi_plds_desc_check(desc, err);
    if (status < 0) return status;
    vdi_plds_desc k = vdi_plds_desc_defaults(desc);
    size_t count = vdi__plds_layout(&k, NULL, NULL, NULL), head = vdi_align_size(sizeof(vdi_plds));
    size_t size = head + 2 * count * sizeof(double);
    vdi_plds *p = (vdi_plds *)vdi_alloc(&k.allocator, size);
    if (!p) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_plds_create", "no memory for %zu bytes", size);
    memset(p, 0, size);
    p->desc = k;
    p->param_count = count;
    p->block_size = size;
    double *base = (double *)(void *)((char *)p + head);
    p->update = base + count;
    vdi__plds_pointers(p, base);
    for (int64_t i = 0; i < k.d; i++) {
        p->A[i * k.d + i] = 0.95;
        p->Q[i * k.d + i] = 1 - 0.95 * 0.95;
        p->Q0[i * k.d + i] = 1;
    }
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
    for (int i = 0; i < VDI_PLDS_PARAMS; i++)
        if (vdi_tensor_count_nonfinite(plds->tensors[i].tensor))
            return vdi_error_set(err, VDI_ERR_DATA, "vdi_plds_check", "%s holds NaN or infinity", plds->tensors[i].name);
    double l[64 * 64]; /* 32 KiB of stack, the most that vdi takes */
    vdi_status status = vdi__lds_cholesky("Q", k->d, plds->Q, l, err);
    if (status == VDI_OK) status = vdi__lds_cholesky("Q0", k->d, plds->Q0, l, err);
    return status;
}

/* The latents' part of a model, for the functions of lds.h. */
VDI__FN vdi_lds vdi__plds_chain(const vdi_plds *p) {
    vdi_lds r = VDI__ZERO;
    r.desc.d = p->desc.d, r.desc.n = 1, r.desc.diagonal_r = true;
    r.desc.freeze = p->desc.freeze, r.desc.q_floor = p->desc.q_floor, r.desc.max_radius = p->desc.max_radius;
    r.A = p->A, r.Q = p->Q, r.x0 = p->x0, r.Q0 = p->Q0;
    return r;
}

/* ---- data ------------------------------------------------------------------------------------------------------------------- */

VDI__FN vdi_status vdi__plds_read(vdi_plds_data *a, const vdi_plds_data_desc *desc, vdi_error *err) {
    const char *where = "vdi_plds_data_create";
    const int64_t B = a->trials, T = a->T, n = a->n;
    int64_t shape[3];
    bool missing = false;
    shape[0] = B, shape[1] = T, shape[2] = n;
    vdi_status status = vdi_tensor_copy(vdi_tensor_view(a->y, VDI_F64, 3, shape), desc->y, err);
    if (status == VDI_OK && desc->offset.data)
        status = vdi_tensor_copy(vdi_tensor_view(a->offset, VDI_F64, 3, shape), vdi_tensor_broadcast_to(desc->offset, 3, shape), err);
    if (status < 0) return status;
    for (int64_t i = 0; i < B; i++) {
        for (int64_t t = 0; t < T; t++) {
            double *y = a->y + (i * T + t) * n, *o = a->offset + (i * T + t) * n;
            int64_t count = 0;
            bool inside = t < a->lengths[i];
            for (int64_t j = 0; j < n; j++) {
                bool there = inside && y[j] == y[j];
                if (there && (!(y[j] >= 0 && y[j] < 1e9) || y[j] != floor(y[j])))
                    return vdi_error_set(err, VDI_ERR_DATA, where,
                                         "y[%lld,%lld,%lld] is %g, expected a count (whole, 0 to 1e9; NaN if missing)", (long long)i,
                                         (long long)t, (long long)j, y[j]);
                if (inside && !(fabs(o[j]) < HUGE_VAL))
                    return vdi_error_set(err, VDI_ERR_DATA, where, "offset[%lld,%lld,%lld] is %g, expected a finite number", (long long)i,
                                         (long long)t, (long long)j, o[j]);
                if (there) {
                    a->total[j] += y[j];
                    a->seen[j] += 1;
                    double log_factorial = y[j] + 1;
                    if (y[j] > 1) vdi_lgamma(VDI_F64, 1, &log_factorial, &log_factorial);
                    a->log_y[i] += y[j] * o[j] - (y[j] > 1 ? log_factorial : 0);
                } else y[j] = 0, o[j] = VDI__PLDS_NEVER, missing |= inside;
                count += there;
            }
            a->observed_bins += count > 0;
        }
        a->rows += a->lengths[i];
    }
    if (a->observed_bins == 0)
        return vdi_error_set(err, VDI_ERR_DATA, where, "y holds no count: %lld trials of %lld bins, all missing", (long long)B,
                             (long long)T);
    if (!missing && !desc->offset.data) a->spare = a->offset, a->offset = NULL;
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

/* What lds_em.h asks of its data for the statistics of the latents: every trial a lane of its own. */
VDI__FN void vdi__plds_take_chain(vdi_plds_data *a, bool *ok) {
    vdi_lds_data *c = &a->chain;
    const size_t d = (size_t)a->d, K = d + 1, B = (size_t)a->trials;
    c->trials = c->lanes = a->trials, c->rows = 1, c->T = a->T, c->n = 1, c->d = a->d;
    c->lengths = c->lane_lengths = a->lengths;
    c->lane_of = (int64_t *)vdi_arena_calloc(&a->arena, B * sizeof(int64_t));
    c->row_of = (int64_t *)vdi_arena_calloc(&a->arena, B * sizeof(int64_t));
    c->lane_weight = vdi__plds_take(a, B, ok);
    c->small = vdi__plds_take(a, 12 * d * d + 8 * d, ok);
    c->em = vdi__plds_take(a, 8 * K * K + 4 * K + 4 + 16 * d * d + 4 * d + 64, ok);
    if (!c->lane_of || !c->row_of) *ok = false;
    for (int64_t i = 0; *ok && i < a->trials; i++) c->lane_of[i] = i, c->lane_weight[i] = 1;
}

VDI__FN vdi_status vdi__plds_scratch(vdi_plds_data *a, vdi_error *err) {
    const size_t d = (size_t)a->d, dd = d * d, n = (size_t)a->n, T = (size_t)a->T, K = (size_t)a->K, G = VDI__PLDS_GROUP;
    const int workers = vdi_pool_threads(a->pool);
    vdi_blocktri_desc bd = VDI__ZERO;
    bool ok = true;
    /* scratch for a group of eight, and for one of fewer, which may be laid out in another way */
    bd.dtype = VDI_F64, bd.T = a->T, bd.d = a->d, bd.lengths = a->lengths;
    for (bd.trials = 1; bd.trials <= VDI__PLDS_GROUP; bd.trials++) a->bt_size = VDI__MAX(a->bt_size, vdi_blocktri_memsize(&bd));
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
    a->worker = (vdi__plds_worker *)vdi_arena_calloc(&a->arena, (size_t)workers * sizeof *a->worker);
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
    if (!ok || !a->worker)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_plds_data_create",
                             "no memory for %lld trials of %lld bins, %lld neurons, %lld latents", (long long)a->trials, (long long)a->T,
                             (long long)a->n, (long long)a->d);
    for (int64_t i = 0, r = 0; a->offset_t && i < a->trials; i++)
        for (int64_t t = 0; t < a->lengths[i]; t++, r++)
            for (int64_t j = 0; j < a->n; j++) a->offset_t[j * a->rows + r] = a->offset[(i * a->T + t) * a->n + j];
    return VDI_OK;
}

VDI__DEF vdi_status vdi_plds_data_create(const vdi_plds *plds, const vdi_plds_data_desc *desc, vdi_plds_data **out, vdi_error *err) {
    const char *where = "vdi_plds_data_create";
    const int64_t n = plds->desc.n, d = plds->desc.d;
    char text[VDI_SHAPE_TEXT];
    vdi_tensor y = desc->y, offset = desc->offset;
    *out = NULL;
    if ((y.ndim != 2 && y.ndim != 3) || !y.data || y.shape[y.ndim - 1] != n)
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "y is %s, expected (trials,T,%lld) or (T,%lld)", vdi_tensor_shape_text(y, text),
                             (long long)n, (long long)n);
    int64_t B = y.ndim == 3 ? y.shape[0] : 1, T = y.shape[y.ndim - 2], shape[3];
    if (B < 1 || T < 1) return vdi_error_set(err, VDI_ERR_SHAPE, where, "y is %s: there is nothing in it", vdi_tensor_shape_text(y, text));
    shape[0] = B, shape[1] = T, shape[2] = n;
    if (offset.data && vdi_tensor_broadcast_to(offset, 3, shape).ndim != 3)
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "offset is %s, which does not broadcast to (%lld,%lld,%lld)",
                             vdi_tensor_shape_text(offset, text), (long long)B, (long long)T, (long long)n);
    if (!(desc->width >= 0 && desc->width < HUGE_VAL))
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "width is %g, expected a positive number", desc->width);
    for (int64_t i = 0; desc->lengths && i < B; i++)
        if (desc->lengths[i] < 0 || desc->lengths[i] > T)
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "lengths[%lld] is %lld, expected 0..%lld", (long long)i,
                                 (long long)desc->lengths[i], (long long)T);
    vdi_arena arena;
    vdi_arena_init(&arena, &desc->allocator, 0);
    size_t values = vdi_mul_size(vdi_mul_size((size_t)B, (size_t)T), (size_t)n);
    vdi_plds_data *a = (vdi_plds_data *)vdi_arena_calloc(&arena, sizeof *a);
    vdi_status status = VDI_ERR_MEMORY;
    bool ok = true;
    if (a) {
        a->arena = arena;
        a->trials = B, a->T = T, a->n = n, a->d = d, a->K = d + d * (d + 1) / 2, a->pool = desc->pool;
        a->log_width = desc->width > 0 ? log(desc->width) : 0;
        a->lengths = (int64_t *)vdi_arena_alloc(&a->arena, (size_t)B * sizeof(int64_t));
        a->y = vdi__plds_take(a, values, &ok);
        a->offset = vdi__plds_take(a, values, &ok);
        a->seen = vdi__plds_take(a, (size_t)n, &ok);
        a->total = vdi__plds_take(a, (size_t)n, &ok);
        a->log_y = vdi__plds_take(a, (size_t)B, &ok);
        if (a->lengths && ok) {
            for (int64_t i = 0; i < B; i++) a->lengths[i] = desc->lengths ? desc->lengths[i] : T;
            status = vdi__plds_read(a, desc, err);
            if (status == VDI_OK) status = vdi__plds_scratch(a, err);
        } else (void)vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu values", values);
        arena = a->arena;
    } else (void)vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu values", values);
    if (status < 0) vdi_arena_free(&arena);
    else *out = a;
    return status;
}

VDI__DEF void vdi_plds_data_destroy(vdi_plds_data *data) {
    if (!data) return;
    vdi_arena arena = data->arena; /* the object lies in its own arena */
    vdi_arena_free(&arena);
}

VDI__DEF int64_t vdi_plds_data_trials(const vdi_plds_data *data) { return data->trials; }
VDI__DEF int64_t vdi_plds_data_bins(const vdi_plds_data *data) { return data->T; }
VDI__DEF int64_t vdi_plds_data_observed_bins(const vdi_plds_data *data) { return data->observed_bins; }
VDI__DEF void vdi_plds_data_reset(vdi_plds_data *data) { data->warm = false; }

VDI__FN vdi_status vdi__plds_fits(const vdi_plds *p, const vdi_plds_data *a, const char *where, vdi_error *err) {
    if (p->desc.d == a->d && p->desc.n == a->n) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_SHAPE, where, "data were made for d %lld, n %lld, the model has %lld, %lld", (long long)a->d,
                         (long long)a->n, (long long)p->desc.d, (long long)p->desc.n);
}

/* ---- what the counts say at a Gaussian ------------------------------------------------------------------------------------------ */

VDI__FN void vdi__plds_readout_set(const vdi_plds *p, double log_width, vdi__plds_readout *r) {
    const int64_t d = p->desc.d, n = p->desc.n, K = d + d * (d + 1) / 2;
    for (int64_t j = 0; j < n; j++) {
        const double *c = p->C + j * d;
        int64_t at = d;
        r->b[j] = p->b[j] + log_width;
        for (int64_t i = 0; i < d; i++) r->in[i * n + j] = r->out[j * K + i] = c[i];
        for (int64_t i = 0; i < d; i++)
            for (int64_t k = 0; k <= i; k++, at++) {
                r->out[j * K + at] = c[i] * c[k];
                r->in[at * n + j] = i == k ? 0.5 * c[i] * c[k] : c[i] * c[k];
            }
    }
}

/* Rates of one trial into f->rate: expected ones under N(m,S), or those at m where S is NULL. */
VDI__FN void vdi__plds_rates(const vdi__plds_fit *f, int64_t i, const double *m, const double *S) {
    const int64_t d = f->d, n = f->n, K = S ? f->K : d, rows = f->length[i];
    const double *x = m;
    if (S) {
        for (int64_t t = 0; t < rows; t++) {
            double *to = f->feature + t * K;
            const double *s = S + t * d * d;
            for (int64_t k = 0; k < d; k++) *to++ = m[t * d + k];
            for (int64_t r = 0; r < d; r++)
                for (int64_t k = 0; k <= r; k++) *to++ = s[r * d + k];
        }
        x = f->feature;
    }
    if (!f->offset[i]) {
        vdi_affine(VDI_F64, (size_t)rows, (size_t)n, (size_t)K, x, (size_t)K, f->readout.in, (size_t)n, f->readout.b, VDI_ACT_EXP, 0,
                   f->rate, (size_t)n);
        return;
    }
    for (int64_t t = 0; t < rows; t++) vdi_binary(VDI_F64, VDI_ADD, (size_t)n, f->offset[i] + t * n, 1, f->readout.b, 1, f->rate + t * n);
    vdi_gemm(VDI_F64, VDI_GEMM_ACC, (size_t)rows, (size_t)n, (size_t)K, x, (size_t)K, f->readout.in, (size_t)n, f->rate, (size_t)n);
    vdi_exp(VDI_F64, (size_t)(rows * n), f->rate, f->rate);
}

/* ... and from them the site of a trial, into `site` (length,K); returns the sum of the rates. */
VDI__FN double vdi__plds_site(const vdi__plds_fit *f, int64_t i, const double *m, const double *S, double *site) {
    const int64_t n = f->n, K = f->K, rows = f->length[i];
    vdi__plds_rates(f, i, m, S);
    vdi_gemm(VDI_F64, 0, (size_t)rows, (size_t)K, (size_t)n, f->rate, (size_t)n, f->readout.out, (size_t)K, site, (size_t)K);
    return vdi_sum(VDI_F64, (size_t)(rows * n), f->rate);
}

/* Block t of the prior's precision. */
VDI__FN void vdi__plds_prior_block(const vdi__plds_fit *f, int64_t i, int64_t t, double *D) {
    const int64_t dd = f->d * f->d;
    const double *own = t > 0 ? f->prior->Qi : f->first ? f->first + i * dd : f->prior->Q0i, *more = f->prior->AQA;
    bool last = t + 1 == f->length[i];
    for (int64_t k = 0; k < dd; k++) D[k] = own[k] + (last ? 0 : more[k]);
}

VDI__FN const double *vdi__plds_prior_h(const vdi__plds_fit *f, int64_t i) { return f->first_h ? f->first_h + i * f->d : f->prior->hx; }

/* E of m'J m - 2 h'm of trial i under the Gaussian (the prior's J and h); with S = NULL at the point m. */
VDI__FN double vdi__plds_quadratic(const vdi__plds_fit *f, int64_t i, const double *m, const double *S, const double *O) {
    const int64_t d = f->d, dd = d * d;
    const double *h = vdi__plds_prior_h(f, i);
    double total = 0;
    for (int64_t k = 0; k < d; k++) total -= 2 * h[k] * m[k];
    for (int64_t t = 0; t < f->length[i]; t++) {
        const double *own = t > 0 ? f->prior->Qi : f->first ? f->first + i * dd : f->prior->Q0i, *more = f->prior->AQA, *E = f->prior->QA;
        const double *z = m + t * d, *s = S ? S + t * dd : NULL, *o = O ? O + t * dd : NULL;
        bool last = t + 1 == f->length[i];
        double sum = 0;
        for (int64_t r = 0; r < d; r++)
            for (int64_t c = 0; c < d; c++) {
                double x = z[r] * z[c] + (s ? s[r * d + c] : 0);
                sum += x * (own[r * d + c] + (last ? 0 : more[r * d + c]));
                if (!last) sum += 2 * E[r * d + c] * (z[d + r] * z[c] + (o ? o[r * d + c] : 0));
            }
        total += sum;
    }
    return total;
}

/* Counts times read-out, and the bound's constant: log y! and y (b + offset), 1/2 log|J0|, the prior's square, the entropy's T d / 2. */
VDI__FN void vdi__plds_open(vdi__plds_fit *f, int64_t i, double log_y) {
    const int64_t d = f->d, n = f->n, rows = f->length[i];
    const double *y = f->y[i];
    if (rows == 0) return;
    if (f->left_out >= 0) {
        memcpy(f->rows, y, (size_t)(rows * n) * sizeof(double));
        for (int64_t t = 0; t < rows; t++) f->rows[t * n + f->left_out] = 0;
        y = f->rows;
    }
    vdi_gemm(VDI_F64, 0, (size_t)rows, (size_t)d, (size_t)n, y, (size_t)n, f->readout.out, (size_t)f->K, f->yC + i * f->T * d, (size_t)d);
    f->constant[i] = log_y;
    for (int64_t t = 0; f->left_out < 0 && t < rows; t++) f->constant[i] += vdi_dot(VDI_F64, (size_t)n, y + t * n, f->readout.b);
}

VDI__FN double vdi__plds_bound(const vdi__plds_fit *f, int64_t i, const vdi__plds_q *q, double rate_sum) {
    const int64_t d = f->d, at = i * f->T, dd = d * d;
    double quad = vdi__plds_quadratic(f, i, q->m + at * d, q->S + at * dd, q->O + i * (f->T - 1) * dd);
    return f->constant[i] + vdi_dot(VDI_F64, (size_t)(f->length[i] * d), f->yC + at * d, q->m + at * d) - rate_sum -
           0.5 * (quad + q->logdet[i]);
}

/* site and bound of trial i of q */
VDI__FN void vdi__plds_evaluate(const vdi__plds_fit *f, int64_t i, vdi__plds_q *q) {
    const int64_t at = i * f->T;
    double sum = vdi__plds_site(f, i, q->m + at * f->d, q->S + at * f->d * f->d, q->site + at * f->K);
    q->elbo[i] = vdi__plds_bound(f, i, q, sum);
}

/* ---- searches --------------------------------------------------------------------------------------------------------------------- */

VDI__FN vdi_status vdi__plds_bt_init(vdi__plds_fit *f, vdi_error *err) {
    vdi_blocktri_desc bd = VDI__ZERO;
    bd.dtype = VDI_F64, bd.trials = f->count, bd.T = f->T, bd.d = f->d, bd.lengths = f->length;
    return vdi_blocktri_init(&f->bt, &bd, f->bt_mem, f->bt_size, err);
}

/* Precision of trial i: the prior's plus the sites'. */
VDI__FN void vdi__plds_precision(const vdi__plds_fit *f, int64_t i, const double *site, double *D, double *E) {
    const int64_t d = f->d, dd = d * d;
    for (int64_t t = 0; t < f->length[i]; t++) {
        double *to = D + t * dd;
        const double *h = site + t * f->K + d;
        vdi__plds_prior_block(f, i, t, to);
        for (int64_t r = 0; r < d; r++) {
            for (int64_t c = 0; c < r; c++, h++) to[r * d + c] += *h, to[c * d + r] += *h;
            to[r * d + r] += *h++;
        }
        if (t + 1 < f->length[i]) memcpy(E + t * dd, f->prior->QA, (size_t)dd * sizeof(double));
    }
}

/* k = h + C'(y - rate) + site m */
VDI__FN void vdi__plds_information(const vdi__plds_fit *f, int64_t i, const double *site, const double *m, double *k) {
    const int64_t d = f->d;
    const double *h0 = vdi__plds_prior_h(f, i), *yC = f->yC + i * f->T * d;
    for (int64_t t = 0; t < f->length[i]; t++) {
        const double *s = site + t * f->K, *h = s + d, *z = m + t * d;
        double *to = k + t * d;
        for (int64_t r = 0; r < d; r++) to[r] = (t == 0 ? h0[r] : 0) + yC[t * d + r] - s[r];
        for (int64_t r = 0; r < d; r++) {
            for (int64_t c = 0; c < r; c++, h++) to[r] += *h * z[c], to[c] += *h * z[r];
            to[r] += *h++ * z[r];
        }
    }
}

/* The moments of q from its natural parameters. */
VDI__FN vdi_status vdi__plds_moments_of(vdi__plds_fit *f, vdi__plds_q *q, vdi_error *err) {
    vdi_status status = vdi_blocktri_factor(&f->bt, q->D, q->E, err);
    if (status < 0) return status;
    vdi_blocktri_logdet(&f->bt, q->logdet);
    vdi_blocktri_solve(&f->bt, 1, q->k, q->m);
    vdi_blocktri_marginals(&f->bt, q->S, q->O);
    return VDI_OK;
}

VDI__FN void vdi__plds_keep(const vdi__plds_fit *f, int64_t i, const vdi__plds_q *from, vdi__plds_q *to) {
    const size_t d = (size_t)f->d, dd = d * d, T = (size_t)f->T, at = (size_t)i * T, lag = (size_t)i * (T - 1), real = sizeof(double);
    memcpy(to->D + at * dd, from->D + at * dd, T * dd * real);
    memcpy(to->S + at * dd, from->S + at * dd, T * dd * real);
    memcpy(to->k + at * d, from->k + at * d, T * d * real);
    memcpy(to->m + at * d, from->m + at * d, T * d * real);
    memcpy(to->site + at * (size_t)f->K, from->site + at * (size_t)f->K, T * (size_t)f->K * real);
    if (T > 1) {
        memcpy(to->E + lag * dd, from->E + lag * dd, (T - 1) * dd * real);
        memcpy(to->O + lag * dd, from->O + lag * dd, (T - 1) * dd * real);
    }
    to->logdet[i] = from->logdet[i];
    to->elbo[i] = from->elbo[i];
}

VDI__FN double vdi__plds_log_joint(const vdi__plds_fit *f, int64_t i, const double *m, double rate_sum) {
    return vdi_dot(VDI_F64, (size_t)(f->length[i] * f->d), f->yC + i * f->T * f->d, m) - rate_sum -
           0.5 * vdi__plds_quadratic(f, i, m, NULL, NULL);
}

/* The mode, by Newton's method with halved steps: concave, so it arrives from anywhere. From `now.m`; at the end `now` is the Gaussian at
 * the mode. */
VDI__FN vdi_status vdi__plds_mode(vdi__plds_fit *f, int iterations, double tolerance, vdi_error *err) {
    const int64_t d = f->d, T = f->T;
    double value[VDI__PLDS_GROUP], slope[VDI__PLDS_GROUP], step[VDI__PLDS_GROUP];
    bool active[VDI__PLDS_GROUP];
    int64_t left = f->count;
    vdi_status status = VDI_OK;
    for (int64_t i = 0; i < f->count; i++) {
        double *m = f->now.m + i * T * d;
        active[i] = f->length[i] > 0;
        if (!active[i]) continue;
        value[i] = vdi__plds_log_joint(f, i, m, vdi__plds_site(f, i, m, NULL, f->now.site + i * T * f->K));
        if (value[i] > -HUGE_VAL) continue;
        memset(m, 0, (size_t)(T * d) * sizeof(double)); /* a start that overflows: begin at 0 */
        value[i] = vdi__plds_log_joint(f, i, m, vdi__plds_site(f, i, m, NULL, f->now.site + i * T * f->K));
    }
    for (int it = 0; it <= iterations; it++) {
        for (int64_t i = 0; i < f->count; i++) {
            double *m = f->now.m + i * T * d, *k = f->now.k + i * T * d;
            if (f->length[i] == 0) continue;
            vdi__plds_precision(f, i, f->now.site + i * T * f->K, f->now.D + i * T * d * d, f->now.E + i * (T - 1) * d * d);
            vdi__plds_information(f, i, f->now.site + i * T * f->K, m, k);
        }
        status = vdi_blocktri_factor(&f->bt, f->now.D, f->now.E, err);
        if (status < 0) return status;
        vdi_blocktri_solve(&f->bt, 1, f->now.k, f->next.m); /* where Newton's step leads: J^{-1}(J m + gradient) */
        if (it == iterations || left == 0) break;
        vdi_blocktri_matvec(&f->bt, f->now.D, f->now.E, 1, f->now.m, f->next.k);
        for (int64_t i = 0; i < f->count; i++) {
            double *to = f->next.m + i * T * d, *m = f->now.m + i * T * d, *Jm = f->next.k + i * T * d, *k = f->now.k + i * T * d;
            slope[i] = 0, step[i] = 1;
            for (int64_t c = 0; active[i] && c < f->length[i] * d; c++) {
                to[c] -= m[c];
                slope[i] += to[c] * (k[c] - Jm[c]);
            }
            if (active[i] && !(slope[i] > tolerance)) active[i] = false;
        }
        left = 0;
        for (int64_t i = 0; i < f->count; i++) {
            double *dx = f->next.m + i * T * d, *m = f->now.m + i * T * d, *trial = f->next.k + i * T * d,
                   *site = f->next.site + i * T * f->K;
            if (!active[i]) continue;
            active[i] = false;
            for (int halving = 0; halving < 50; halving++, step[i] *= 0.5) {
                for (int64_t c = 0; c < f->length[i] * d; c++) trial[c] = m[c] + step[i] * dx[c];
                double at = vdi__plds_log_joint(f, i, trial, vdi__plds_site(f, i, trial, NULL, site));
                if (!(at >= value[i] + 1e-4 * step[i] * slope[i] - 1e-12 * fabs(value[i]))) continue;
                memcpy(m, trial, (size_t)(f->length[i] * d) * sizeof(double));
                memcpy(f->now.site + i * T * f->K, site, (size_t)(f->length[i] * f->K) * sizeof(double));
                value[i] = at;
                active[i] = true;
                break;
            }
            left += active[i];
        }
    }
    /* the Gaussian there: k is J m at a mode; its own mean is used */
    vdi_blocktri_matvec(&f->bt, f->now.D, f->now.E, 1, f->now.m, f->now.k);
    vdi_blocktri_logdet(&f->bt, f->now.logdet);
    vdi_blocktri_marginals(&f->bt, f->now.S, f->now.O);
    for (int64_t i = 0; i < f->count; i++)
        if (f->length[i] > 0) vdi__plds_evaluate(f, i, &f->now);
    f->converged = left == 0;
    return VDI_OK;
}

/* The best Gaussian, by natural-gradient steps from `now`, whose moments, site and bound under these parameters are given:
 *     (D, E, k) <- (1-r) (D, E, k) + r (prior + site, prior, h + C'(y - rate) + site m)
 * A trial that would fall stays, and tries a shorter r. Whole steps may swing about the top with a factor near -1 (they do on sparse
 * counts); after the first few, whole and half ones take turns, which damps that and costs slow modes next to nothing. */
VDI__FN vdi_status vdi__plds_ascend(vdi__plds_fit *f, int iterations, double tolerance, vdi_error *err) {
    const int64_t d = f->d, dd = d * d, T = f->T;
    double rate[VDI__PLDS_GROUP];
    bool active[VDI__PLDS_GROUP];
    int64_t left = 0;
    for (int64_t i = 0; i < f->count; i++) {
        rate[i] = 1;
        active[i] = f->length[i] > 0;
        left += active[i];
        vdi__plds_keep(f, i, &f->now, &f->next); /* also keeps the lanes of a trial that is done factorisable */
    }
    for (int it = 0; it < iterations && left > 0; it++) {
        for (int64_t i = 0; i < f->count; i++) {
            const int64_t at = i * T, length = f->length[i];
            double *D = f->next.D + at * dd, *E = f->next.E + i * (T - 1) * dd, *k = f->next.k + at * d, r = rate[i];
            if (!active[i]) continue;
            vdi__plds_precision(f, i, f->now.site + at * f->K, D, E);
            vdi__plds_information(f, i, f->now.site + at * f->K, f->now.m + at * d, k);
            if (r >= 1) continue;
            vdi_axpby(VDI_F64, (size_t)(length * dd), 1 - r, f->now.D + at * dd, r, D);
            vdi_axpby(VDI_F64, (size_t)((length - 1) * dd), 1 - r, f->now.E + i * (T - 1) * dd, r, E);
            vdi_axpby(VDI_F64, (size_t)(length * d), 1 - r, f->now.k + at * d, r, k);
        }
        vdi_status status = vdi__plds_moments_of(f, &f->next, err);
        if (status < 0) return status;
        for (int64_t i = 0; i < f->count; i++) {
            if (!active[i]) continue;
            vdi__plds_evaluate(f, i, &f->next);
            double gain = f->next.elbo[i] - f->now.elbo[i], close = tolerance * (1 + fabs(f->now.elbo[i]));
            if (gain >= 0) {
                vdi__plds_keep(f, i, &f->next, &f->now);
                if (gain < close && rate[i] >= 0.5) active[i] = false, left--;
                rate[i] = VDI__MIN(it >= 3 && it % 2 ? 0.5 : 1, 2 * rate[i]);
            } else {
                rate[i] *= 0.4;
                if (gain > -close || rate[i] < 1e-6) active[i] = false, left--; /* no step up: this is the top, to rounding */
                vdi__plds_keep(f, i, &f->now, &f->next);
            }
        }
    }
    f->converged = left == 0;
    return VDI_OK;
}

/* ---- all trials ------------------------------------------------------------------------------------------------------------------- */

typedef struct vdi__plds_run {
    const vdi_plds *p;
    vdi_plds_data *a;
    vdi__lds_prior prior;
    int iterations; /* of the ascent; -1: to convergence */
    double tolerance;
} vdi__plds_run;

VDI__FN vdi_status vdi__plds_prepare(const vdi_plds *p, vdi_plds_data *a, vdi__plds_run *r, vdi_error *err) {
    vdi_lds chain = vdi__plds_chain(p);
    memset(r, 0, sizeof *r);
    r->p = p, r->a = a;
    vdi__plds_readout_set(p, a->log_width, &a->readout);
    for (int w = 0; w < vdi_pool_threads(a->pool); w++) a->worker[w].status = VDI_OK;
    return vdi__lds_prior_of(&chain, a->prior_work, &r->prior, err);
}

/* The first error of the workers, or VDI_NOT_CONVERGED. */
VDI__FN vdi_status vdi__plds_finish(const vdi_plds_data *a, const char *where, vdi_error *err) {
    vdi_status status = VDI_OK;
    for (int w = 0; w < vdi_pool_threads(a->pool); w++) {
        if (a->worker[w].status < 0) return vdi_error_set(err, a->worker[w].status, where, "%s", a->worker[w].err.message);
        if (a->worker[w].status > 0) status = a->worker[w].status;
    }
    return status;
}

/* A fit over group g with the worker's scratch; `now` is the worker's too. */
VDI__FN void vdi__plds_group(const vdi__plds_run *r, int64_t g, int worker, vdi__plds_fit *f) {
    vdi_plds_data *a = r->a;
    vdi__plds_worker *k = &a->worker[worker];
    const int64_t first = g * VDI__PLDS_GROUP;
    memset(f, 0, sizeof *f);
    f->prior = &r->prior;
    f->readout = a->readout;
    f->d = a->d, f->n = a->n, f->K = a->K, f->T = a->T, f->left_out = -1;
    f->count = VDI__MIN((int64_t)VDI__PLDS_GROUP, a->trials - first);
    for (int64_t i = 0; i < f->count; i++) {
        f->length[i] = a->lengths[first + i];
        f->y[i] = a->y + (first + i) * a->T * a->n;
        f->offset[i] = a->offset ? a->offset + (first + i) * a->T * a->n : NULL;
    }
    f->now = k->now, f->next = k->next;
    f->yC = k->yC, f->feature = k->feature, f->rate = k->rate, f->rows = k->rows;
    f->bt_mem = k->bt_mem, f->bt_size = a->bt_size;
}

/* The slice of the stored posterior that belongs to group g. */
VDI__FN vdi__plds_q vdi__plds_slice(const vdi_plds_data *a, int64_t g) {
    const int64_t i = g * VDI__PLDS_GROUP, at = i * a->T, lag = i * (a->T - 1), dd = a->d * a->d;
    vdi__plds_q q = a->q;
    q.D += at * dd, q.S += at * dd, q.E += lag * dd, q.O += lag * dd;
    q.k += at * a->d, q.m += at * a->d, q.site += at * a->K;
    q.logdet += i, q.elbo += i;
    return q;
}

/* The bound's constants of a whole trial. */
VDI__FN void vdi__plds_open_all(const vdi__plds_run *r, int64_t g, vdi__plds_fit *f) {
    const double *x0 = r->p->x0;
    for (int64_t i = 0; i < f->count; i++) {
        double T = (double)f->length[i];
        if (f->length[i] == 0) continue;
        vdi__plds_open(f, i, r->a->log_y[g * VDI__PLDS_GROUP + i]);
        f->constant[i] +=
            0.5 * (T * (double)f->d - r->prior.logdet_0 - (T - 1) * r->prior.logdet_q - vdi_dot(VDI_F64, (size_t)f->d, r->prior.hx, x0));
    }
}

/* Means where the latents rest without counts: a start that knows nothing. */
VDI__FN void vdi__plds_rest(const vdi__plds_run *r, vdi__plds_fit *f) {
    const size_t d = (size_t)f->d;
    for (int64_t i = 0; i < f->count; i++)
        for (int64_t t = 0; t < f->length[i]; t++) {
            double *m = f->now.m + (i * f->T + t) * f->d;
            if (t == 0) memcpy(m, r->p->x0, d * sizeof *m);
            else vdi_gemv(VDI_F64, 0, d, d, r->p->A, d, m - d, m);
        }
}

/* The posterior of one group, from rest or from the `now` it has. */
VDI__FN vdi_status vdi__plds_solve(const vdi__plds_run *r, vdi__plds_fit *f, bool warm, vdi_error *err) {
    const vdi_plds_method method = r->p->desc.method;
    vdi_status status = vdi__plds_bt_init(f, err);
    if (status < 0) return status;
    /* parameters may have been set in between: a start whose rates overflow is none */
    for (int64_t i = 0; warm && method == VDI_PLDS_VB && i < f->count; i++) {
        if (f->length[i] == 0) continue;
        vdi__plds_evaluate(f, i, &f->now);
        warm = fabs(f->now.elbo[i]) < HUGE_VAL;
    }
    if (!warm) vdi__plds_rest(r, f);
    if (method == VDI_PLDS_LAPLACE) return vdi__plds_mode(f, 200, 1e-13, err);
    if (!warm) {
        status = vdi__plds_mode(f, 30, 1e-4, err);
        if (status < 0) return status;
    }
    return vdi__plds_ascend(f, r->iterations < 0 ? 200 : warm ? r->iterations : 4 * r->iterations, r->tolerance, err);
}

VDI__FN void vdi__plds_job(int64_t g, int worker, void *user) {
    vdi__plds_run *r = (vdi__plds_run *)user;
    vdi__plds_worker *k = &r->a->worker[worker];
    vdi__plds_fit f;
    if (k->status < 0) return;
    vdi__plds_group(r, g, worker, &f);
    f.now = vdi__plds_slice(r->a, g);
    vdi__plds_open_all(r, g, &f);
    vdi_status status = vdi__plds_solve(r, &f, r->a->warm, &k->err);
    for (int64_t i = 0; status == VDI_OK && i < f.count; i++) {
        if (f.length[i] == 0) f.now.elbo[i] = 0;
        else if (!(fabs(f.now.elbo[i]) < HUGE_VAL))
            status = vdi_error_set(&k->err, VDI_ERR_NUMERIC, "vdi_plds", "the bound of trial %lld is %g",
                                   (long long)(g * VDI__PLDS_GROUP + i), f.now.elbo[i]);
    }
    if (status == VDI_OK && r->iterations < 0 && !f.converged) status = VDI_NOT_CONVERGED;
    if (status != VDI_OK) k->status = status;
}

/* The stored posterior moves to that of these parameters: `iterations` of the ascent, or -1 for all the way. */
VDI__FN vdi_status vdi__plds_posterior(const vdi_plds *p, vdi_plds_data *a, int iterations, vdi__plds_run *r, const char *where,
                                       vdi_error *err) {
    vdi_status status = vdi__plds_fits(p, a, where, err);
    if (status == VDI_OK) status = vdi__plds_prepare(p, a, r, err);
    if (status < 0) return status;
    r->iterations = iterations;
    r->tolerance = iterations < 0 ? 1e-11 : 1e-9;
    vdi_pool_run(a->pool, a->groups, vdi__plds_job, r);
    status = vdi__plds_finish(a, where, err);
    a->warm = status >= 0;
    return status;
}

typedef struct vdi__plds_rate_job {
    const vdi__plds_run *r;
    double *rate;
} vdi__plds_rate_job;

VDI__FN void vdi__plds_rate_group(int64_t g, int worker, void *user) {
    const vdi__plds_rate_job *k = (const vdi__plds_rate_job *)user;
    const vdi_plds_data *a = k->r->a;
    vdi__plds_fit f;
    vdi__plds_group(k->r, g, worker, &f);
    vdi__plds_q q = vdi__plds_slice(a, g);
    for (int64_t i = 0; i < f.count; i++) {
        double *to = k->rate + (g * VDI__PLDS_GROUP + i) * a->T * a->n;
        const double *offset = f.offset[i];
        memset(to, 0, (size_t)(a->T * a->n) * sizeof(double));
        if (f.length[i] == 0) continue;
        for (int64_t c = 0; offset && c < f.length[i] * a->n; c++)
            f.rows[c] = offset[c] > VDI__PLDS_NEVER ? offset[c] : 0; /* rates of missing counts too */
        if (offset) f.offset[i] = f.rows;
        vdi__plds_rates(&f, i, q.m + i * a->T * a->d, q.S + i * a->T * a->d * a->d);
        memcpy(to, f.rate, (size_t)(f.length[i] * a->n) * sizeof(double));
    }
}

VDI__DEF vdi_status vdi_plds_infer(const vdi_plds *plds, vdi_plds_data *data, const vdi_plds_moments *out, vdi_error *err) {
    const int64_t d = data->d, T = data->T, B = data->trials;
    vdi__plds_run r;
    vdi_status status = vdi__plds_posterior(plds, data, -1, &r, "vdi_plds_infer", err);
    if (status < 0) return status;
    if (out->mean) memcpy(out->mean, data->q.m, (size_t)(B * T * d) * sizeof(double));
    if (out->cov) memcpy(out->cov, data->q.S, (size_t)(B * T * d * d) * sizeof(double));
    if (out->lagcov && T > 1) memcpy(out->lagcov, data->q.O, (size_t)(B * (T - 1) * d * d) * sizeof(double));
    if (out->elbo) memcpy(out->elbo, data->q.elbo, (size_t)B * sizeof(double));
    if (out->rate) {
        vdi__plds_rate_job job;
        job.r = &r, job.rate = out->rate;
        vdi_pool_run(data->pool, data->groups, vdi__plds_rate_group, &job);
    }
    return status;
}

VDI__DEF vdi_status vdi_plds_elbo(const vdi_plds *plds, vdi_plds_data *data, double *elbo, double *sum, vdi_error *err) {
    vdi__plds_run r;
    vdi_status status = vdi__plds_posterior(plds, data, -1, &r, "vdi_plds_elbo", err);
    if (status < 0) return status;
    if (elbo) memcpy(elbo, data->q.elbo, (size_t)data->trials * sizeof(double));
    if (sum) *sum = vdi_sum(VDI_F64, (size_t)data->trials, data->q.elbo);
    return status;
}
#endif
