/* model/lds/lds.h - the linear dynamical system: exact smoothing and log likelihood; learning is in
 * lds_em.h, drawing and forecasting in lds_sample.h
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
 * Everything is float64: this model is the exact one that the others are held against. Trials may
 * be ragged (`lengths`), and any single value may be missing. Trials with the same length and the
 * same missing values share one covariance sequence (a "lane"); all lanes go through the same
 * batched kernels. T = 1 works. Two routes lead to the moments and are tested against each other:
 * the block-tridiagonal solver (default) and the Kalman filter with RTS smoother.
 * Memory: create and data_create allocate; nothing else does. Errors: statuses; parameters stay as
 * they were. Threads: one object per thread, or data_desc.pool. Source of the formulas:
 * docs/guide/lds.md.
 * What it does not do: time-varying parameters, inputs that are missing.
 */
#ifndef VDI_MODEL_LDS_LDS_H
#define VDI_MODEL_LDS_LDS_H
#include "../../core/log.h"
#include "../../core/rng.h"
#include "../../core/state.h"
#include "../../linalg/table.h"

/** Parameters, as bits of vdi_lds_desc.freeze. */
enum {
    VDI_LDS_A = 1,
    VDI_LDS_B = 2,
    VDI_LDS_Q = 4,
    VDI_LDS_C = 8,
    VDI_LDS_D = 16,
    VDI_LDS_BIAS = 32,
    VDI_LDS_R = 64,
    VDI_LDS_X0 = 128,
    VDI_LDS_Q0 = 256
};
/** How many parameters there are. */
#define VDI_LDS_PARAMS 9

/** Description of a model; zero is the default where one is named. */
typedef struct vdi_lds_desc {
    int64_t d;               /**< latent dimension, >= 1 */
    int64_t n;               /**< observed channels, >= 1 */
    int64_t inputs;          /**< entries of u_t; 0: none */
    bool diagonal_r;         /**< R diagonal (factor analysis in time) instead of full */
    unsigned freeze;         /**< VDI_LDS_* bits of parameters that EM leaves alone */
    double r_floor;          /**< EM keeps the eigenvalues of R at or above this; 0: 1e-6 of the
                                  data's mean channel variance */
    double q_floor;          /**< likewise of Q and Q0; 0: 1e-6 */
    double max_radius;       /**< EM keeps A's spectral radius at or below this; 0: no bound */
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
} vdi_lds;

/** Observations for one model. */
typedef struct vdi_lds_data_desc {
    vdi_tensor y;            /**< (trials,T,n) or (T,n), any dtype, NaN = missing */
    vdi_tensor u;            /**< (trials,T,inputs) or (T,inputs); zero where the model has none */
    const int64_t *lengths;  /**< (trials), bins of each trial that count; NULL: T */
    vdi_pool *pool;          /**< NULL: the caller's thread */
    vdi_allocator allocator; /**< zero: malloc and free */
} vdi_lds_data_desc;

/** Observations taken in, with all scratch memory that the model needs for them. */
typedef struct vdi_lds_data vdi_lds_data;

/** Where vdi_lds_smooth writes; NULL members are not computed. Means are (trials,T,d), covariances
 * (lanes,T,d,d): lane
 *  vdi_lds_data_lane(data, trial) is that trial's. Asking for filter moments runs the Kalman filter
 *  as well. */
typedef struct vdi_lds_moments {
    double *mp, *Pp; /**< predicted: E and Cov of z_t given y_1..y_{t-1} */
    double *mf, *Pf; /**< filtered: given y_1..y_t */
    double *ms, *Ps; /**< smoothed: given all */
    double *Pc;      /**< (lanes,T-1,d,d): Cov(z_{t+1}, z_t | y) */
    double *ll;      /**< (trials): log p(y), nats, all constants included */
    bool kalman;     /**< smooth by Kalman and RTS instead of the block-tridiagonal solver */
} vdi_lds_moments;

/** The description with defaults filled in. */
VDI_API vdi_lds_desc vdi_lds_desc_defaults(const vdi_lds_desc *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_lds_desc_check(const vdi_lds_desc *desc, vdi_error *err);
/** Make a model: A = 0.95 I, Q = (1 - 0.95^2) I, R = Q0 = I, the rest 0. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_create(const vdi_lds_desc *desc, vdi_lds **out,
                                                vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_lds_destroy(vdi_lds *lds);
/** Are all parameters finite and Q, Q0, R positive definite? The message says which is not. */
VDI_API vdi_status vdi_lds_check(const vdi_lds *lds, vdi_error *err);
/** The parameters as named tensors (A B Q C D b R x0 Q0; B and D only with inputs), views into the
 * model. */
VDI_API vdi_state vdi_lds_state(vdi_lds *lds);

/** Take in observations: checks them, finds which trials share covariances, allocates all scratch.
 * The tensors are copied. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_data_create(const vdi_lds *lds,
                                                     const vdi_lds_data_desc *desc,
                                                     vdi_lds_data **out, vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_lds_data_destroy(vdi_lds_data *data);
VDI_API int64_t vdi_lds_data_trials(const vdi_lds_data *data);
VDI_API int64_t vdi_lds_data_bins(const vdi_lds_data *data);
/** Distinct covariance sequences, and which of them trial i has. */
VDI_API int64_t vdi_lds_data_lanes(const vdi_lds_data *data);
VDI_API int64_t vdi_lds_data_lane(const vdi_lds_data *data, int64_t trial);
/** Bins with at least one observed value, summed over trials: what a log likelihood per bin divides
 * by. */
VDI_API int64_t vdi_lds_data_observed_bins(const vdi_lds_data *data);

/** Posterior moments of the latents. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_smooth(const vdi_lds *lds, vdi_lds_data *data,
                                                const vdi_lds_moments *out, vdi_error *err);
/** log p(y) of each trial into ll (trials) (may be NULL), and its sum. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_log_likelihood(const vdi_lds *lds, vdi_lds_data *data,
                                                        double *ll, double *sum, vdi_error *err);
#endif /* VDI_MODEL_LDS_LDS_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_LDS_C)
#define VDI_MODEL_LDS_LDS_C

/* Bins are worked on in chunks of this many rows. */
#define VDI__LDS_CHUNK 64

struct vdi_lds_data {
    vdi_arena arena;
    vdi_pool *pool;
    int64_t trials, T, n, d, inputs;
    int64_t *lengths; /* (trials) */
    double *y;        /* (trials,T,n): centred on y_mean; 0 where missing */
    double *y_mean;   /* (n) */
    double *syy;      /* sum over bins of y y', centred, 0 where missing: (n,n), or (n) for a
                         diagonal R */
    double *u;        /* (trials,T,inputs); 0 behind the length */
    double variance;  /* mean over channels of the observed variance */
    int64_t observed_bins, observed_values;
    bool missing;
    double *channel_count; /* (trials,n): observed bins */
    /* Lanes: a lane is one covariance sequence, a slot (row, lane) one trial under it. rows *
     * lanes >= trials. */
    int64_t lanes, rows;
    int64_t *lane_of, *row_of; /* (trials) */
    int64_t *trial_at;         /* (rows,lanes): trial or -1 */
    int64_t *lane_lengths;     /* (lanes) */
    double *lane_weight;       /* (lanes): trials in it */
    double *mask;              /* (lanes,T,n) 1 observed, 0 missing or behind the end; NULL if
                                  nothing is missing */
    /* Full R: the distinct sets of observed channels ("patterns") and the bins that have each. */
    int64_t patterns;
    uint8_t *pattern_mask;  /* (patterns,n) */
    int64_t *pattern_start; /* (patterns+1) into bins */
    int64_t *bins;          /* slot * T + t */
    int64_t *lane_pattern;  /* (lanes,T), -1 behind the end */
    /* scratch of the E-step */
    vdi_blocktri bt;
    double *D, *E;         /* (lanes,T,d,d), (lanes,T-1,d,d) */
    double *W, *W_pattern; /* (lanes,T,d,d) or one (d,d) where `shared_w`; (patterns,d,d) */
    bool shared_w;
    double *h, *m, *c;   /* (rows,lanes,T,d); c only with inputs or for the filter */
    double *S, *O;       /* (lanes,T,d,d), (lanes,T-1,d,d) */
    double *ll, *logdet; /* (trials), (lanes) */
    double *yt, *yd;     /* (trials,T,n) y - b - D u, masked; (trials,T,d) */
    double *small;       /* parameter-sized scratch, see vdi__lds_small */
    double *chunk;       /* (CHUNK, n + d + ...) */
    double *pattern_r;   /* (n,n) */
    double *em;          /* scratch of EM */
    /* One of the two routes runs at a time, and each begins from D or W: both have the same memory
     * for what they make. */
    void *route;
    size_t bt_size;
    void *kalman_work;
    double *kmp, *kPp, *kmf, *kPf;
};

VDI__DEF vdi_lds_desc vdi_lds_desc_defaults(const vdi_lds_desc *desc) {
    vdi_lds_desc r = *desc;
    if (r.q_floor == 0) r.q_floor = 1e-6;
    r.allocator = vdi_allocator_defaults(&desc->allocator);
    return r;
}

VDI__DEF vdi_status vdi_lds_desc_check(const vdi_lds_desc *desc, vdi_error *err) {
    const char *where = "vdi_lds_desc_check";
    if (desc->d < 1 || desc->d > 1024) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "d is %lld, expected 1..1024",
                             (long long)desc->d);
    }
    if (desc->n < 1 || desc->n > 65536) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "n is %lld, expected 1..65536",
                             (long long)desc->n);
    }
    if (desc->inputs < 0 || desc->inputs > 65536) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "inputs is %lld, expected 0..65536",
                             (long long)desc->inputs);
    }
    if (desc->freeze >= 512u) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "freeze is %u, expected a sum of VDI_LDS_* bits", desc->freeze);
    }
    if (!(desc->r_floor >= 0) || !(desc->q_floor >= 0)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "r_floor is %g and q_floor %g, expected 0 or more", desc->r_floor,
                             desc->q_floor);
    }
    if (!(desc->max_radius >= 0)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "max_radius is %g, expected 0 or more",
                             desc->max_radius);
    }
    return VDI_OK;
}

/* The parameters lie one behind the other; the same walk lays out the model, its update and its
 * state. */
VDI__FN size_t vdi__lds_layout(vdi_lds *p, double *base) {
    const int64_t d = p->desc.d, n = p->desc.n, u = p->desc.inputs;
    const vdi__block_row row[VDI_LDS_PARAMS] = {
        {"A", &p->A, d, d}, {"B", &p->B, d, u},    {"Q", &p->Q, d, d},
        {"C", &p->C, n, d}, {"D", &p->D, n, u},    {"b", &p->b, n, -1},
        {"R", &p->R, n, n}, {"x0", &p->x0, d, -1}, {"Q0", &p->Q0, d, d}};
    return vdi__block_layout(row, VDI_LDS_PARAMS, base, p->tensors);
}

/* Where a chain starts: A = 0.95 I, stationary with covariance I. */
VDI__FN void vdi__lds_chain_start(int64_t d, double *A, double *Q, double *Q0) {
    for (int64_t i = 0; i < d; i++) {
        A[i * (d + 1)] = 0.95;
        Q[i * (d + 1)] = 1 - 0.95 * 0.95;
        Q0[i * (d + 1)] = 1;
    }
}

VDI__DEF vdi_status vdi_lds_create(const vdi_lds_desc *desc, vdi_lds **out, vdi_error *err) {
    *out = NULL;
    vdi_status status = vdi_lds_desc_check(desc, err);
    if (status < 0) return status;
    vdi_lds_desc k = vdi_lds_desc_defaults(desc);
    vdi_lds shape = VDI__ZERO;
    double *base = NULL, *update = NULL;
    size_t size = 0;
    shape.desc = k;
    const size_t count = vdi__lds_layout(&shape, NULL);
    vdi_lds *p = (vdi_lds *)vdi__block_create(&k.allocator, sizeof *p, count, &size, &base, &update,
                                              "vdi_lds_create", err);
    if (!p) return VDI_ERR_MEMORY;
    p->desc = k;
    p->update = update;
    p->param_count = count;
    p->block_size = size;
    (void)vdi__lds_layout(p, base);
    vdi__lds_chain_start(k.d, p->A, p->Q, p->Q0);
    for (int64_t i = 0; i < k.n; i++)
        p->R[i * k.n + i] = 1;
    *out = p;
    return VDI_OK;
}

VDI__DEF void vdi_lds_destroy(vdi_lds *lds) {
    if (!lds) return;
    vdi_allocator a = lds->desc.allocator;
    vdi_free(&a, lds, lds->block_size);
}

VDI__DEF vdi_state vdi_lds_state(vdi_lds *lds) {
    vdi_state s = VDI__ZERO;
    s.tensors = lds->tensors;
    s.tensor_count = VDI_LDS_PARAMS;
    return s;
}

/* Copy a symmetric matrix and factorise it; the message names the parameter. */
VDI__FN vdi_status vdi__lds_cholesky(const char *name, int64_t n, const double *a, double *l,
                                     vdi_error *err) {
    vdi_error inner = VDI__ZERO;
    memcpy(l, a, (size_t)(n * n) * sizeof *l);
    if (vdi_cholesky(VDI_F64, (size_t)n, l, (size_t)n, &inner) < 0) {
        return vdi_error_set(err, VDI_ERR_NOT_POSITIVE_DEFINITE, "vdi_lds",
                             "%s is not positive definite: %s", name, inner.message);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_lds_check(const vdi_lds *lds, vdi_error *err) {
    const vdi_lds_desc *k = &lds->desc;
    for (int i = 0; i < VDI_LDS_PARAMS; i++) {
        bool diagonal = k->diagonal_r && lds->tensors[i].tensor.data == lds->R;
        if (!diagonal && vdi_tensor_count_nonfinite(lds->tensors[i].tensor)) {
            return vdi_error_set(err, VDI_ERR_DATA, "vdi_lds_check", "%s holds NaN or infinity",
                                 lds->tensors[i].name);
        }
    }
    for (int64_t i = 0; k->diagonal_r && i < k->n; i++) {
        if (!(lds->R[i * k->n + i] > 0) || !(lds->R[i * k->n + i] < HUGE_VAL)) {
            return vdi_error_set(err, VDI_ERR_NOT_POSITIVE_DEFINITE, "vdi_lds_check",
                                 "R[%lld,%lld] is %g, expected a positive variance", (long long)i,
                                 (long long)i, lds->R[i * k->n + i]);
        }
    }
    size_t side = (size_t)VDI__MAX(k->d, k->diagonal_r ? 1 : k->n);
    size_t bytes = side * side * sizeof(double);
    double *l = (double *)vdi_alloc(&k->allocator, bytes);
    if (!l) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds_check", "no memory for %zu bytes",
                             bytes);
    }
    vdi_status status = vdi__lds_cholesky("Q", k->d, lds->Q, l, err);
    if (status == VDI_OK) status = vdi__lds_cholesky("Q0", k->d, lds->Q0, l, err);
    if (status == VDI_OK && !k->diagonal_r) status = vdi__lds_cholesky("R", k->n, lds->R, l, err);
    vdi_free(&k->allocator, l, bytes);
    return status;
}

/* ---- data: masks, lanes, patterns ------------------------------------------------------------ */

VDI__FN uint64_t vdi__hash(uint64_t h, const void *p, size_t n) {
    /* FNV-1a, for finding equal masks; equality is checked after */
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * 1099511628211u;
    return h;
}

/* Number equal items by the order of their first appearance: class_of[i] < *classes, first[class]
 * an item of it. Open addressing. */
typedef struct vdi__classes {
    int64_t count, *class_of, *first, *table;
    size_t table_size;
} vdi__classes;

VDI__FN bool vdi__classes_init(vdi__classes *k, vdi_arena *arena, int64_t items) {
    size_t size = 16;
    while (size < 2 * (size_t)items)
        size *= 2;
    k->count = 0;
    k->table_size = size;
    k->class_of = (int64_t *)vdi_arena_alloc(arena, (size_t)items * sizeof(int64_t));
    k->first = (int64_t *)vdi_arena_alloc(arena, (size_t)items * sizeof(int64_t));
    k->table = (int64_t *)vdi_arena_calloc(arena, size * sizeof(int64_t));
    return k->class_of && k->first && k->table;
}

/* `bytes` of item i at base + i * stride; `tag` is a number that has to be equal too. */
VDI__FN void vdi__classes_add(vdi__classes *k, int64_t i, const uint8_t *base, size_t stride,
                              size_t bytes, const int64_t *tag) {
    uint64_t h = vdi__hash(14695981039346656037u ^ (uint64_t)(tag ? tag[i] : 0),
                           base + (size_t)i * stride, bytes);
    for (size_t at = (size_t)h & (k->table_size - 1);; at = (at + 1) & (k->table_size - 1)) {
        int64_t c = k->table[at] - 1;
        if (c < 0) {
            k->table[at] = k->count + 1;
            k->first[k->count] = i;
            k->class_of[i] = k->count++;
            return;
        }
        int64_t f = k->first[c];
        if ((!tag || tag[f] == tag[i]) &&
            memcmp(base + (size_t)f * stride, base + (size_t)i * stride, bytes) == 0) {
            k->class_of[i] = c;
            return;
        }
    }
}

/* How many trials a lane may carry: factorising costs about d times a solve, and padded slots cost
 * a solve each. */
VDI__FN int64_t vdi__lds_rows(const int64_t *size, int64_t classes, int64_t d) {
    int64_t best = 1, largest = 1;
    double best_cost = HUGE_VAL;
    for (int64_t i = 0; i < classes; i++)
        largest = VDI__MAX(largest, size[i]);
    for (int64_t rows = 1; rows <= 2 * largest; rows *= 2) {
        int64_t r = VDI__MIN(rows, largest);
        double lanes = 0;
        for (int64_t i = 0; i < classes; i++)
            lanes += (double)((size[i] + r - 1) / r);
        double cost = lanes * (double)d + lanes * (double)r;
        if (cost < best_cost) {
            best_cost = cost;
            best = r;
        }
    }
    return best;
}

VDI__FN vdi_status vdi__lds_lanes(vdi_lds_data *a, const uint8_t *seen, vdi_error *err) {
    const int64_t B = a->trials, T = a->T, n = a->n;
    vdi__classes k;
    if (!vdi__classes_init(&k, &a->arena, B))
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds_data_create", "no memory for lanes");
    for (int64_t i = 0; i < B; i++) {
        vdi__classes_add(&k, i, seen, (size_t)(T * n), a->missing ? (size_t)(T * n) : 0,
                         a->lengths);
    }
    int64_t *size = (int64_t *)vdi_arena_calloc(&a->arena, (size_t)k.count * sizeof(int64_t));
    int64_t *lane = (int64_t *)vdi_arena_calloc(&a->arena, (size_t)k.count * sizeof(int64_t));
    int64_t *filled = (int64_t *)vdi_arena_calloc(&a->arena, (size_t)k.count * sizeof(int64_t));
    a->lane_of = (int64_t *)vdi_arena_alloc(&a->arena, (size_t)B * sizeof(int64_t));
    a->row_of = (int64_t *)vdi_arena_alloc(&a->arena, (size_t)B * sizeof(int64_t));
    if (!size || !lane || !filled || !a->lane_of || !a->row_of)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds_data_create", "no memory for lanes");
    for (int64_t i = 0; i < B; i++)
        size[k.class_of[i]]++;
    a->rows = vdi__lds_rows(size, k.count, a->d);
    for (int64_t i = 0; i < B; i++) {
        int64_t c = k.class_of[i];
        if (filled[c] % a->rows == 0) lane[c] = a->lanes++;
        a->lane_of[i] = lane[c];
        a->row_of[i] = filled[c]++ % a->rows;
    }
    a->trial_at = (int64_t *)vdi_arena_alloc(
        &a->arena, vdi_mul_size((size_t)(a->rows * a->lanes), sizeof(int64_t)));
    a->lane_lengths = (int64_t *)vdi_arena_alloc(&a->arena, (size_t)a->lanes * sizeof(int64_t));
    a->lane_weight = (double *)vdi_arena_calloc(&a->arena, (size_t)a->lanes * sizeof(double));
    if (a->missing) {
        a->mask = (double *)vdi_arena_calloc(
            &a->arena, vdi_mul_size((size_t)(a->lanes * T), (size_t)n * sizeof(double)));
    }
    if (!a->trial_at || !a->lane_lengths || !a->lane_weight || (a->missing && !a->mask))
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds_data_create", "no memory for lanes");
    for (int64_t i = 0; i < a->rows * a->lanes; i++)
        a->trial_at[i] = -1;
    for (int64_t i = 0; i < B; i++) {
        int64_t l = a->lane_of[i];
        a->trial_at[a->row_of[i] * a->lanes + l] = i;
        a->lane_lengths[l] = a->lengths[i];
        a->lane_weight[l] += 1;
        if (a->missing && a->row_of[i] == 0) {
            for (int64_t j = 0; j < T * n; j++)
                a->mask[l * T * n + j] = seen[i * T * n + j];
        }
    }
    return VDI_OK;
}

/* Distinct sets of observed channels, and the bins of each in a fixed order. */
VDI__FN vdi_status vdi__lds_patterns(vdi_lds_data *a, const uint8_t *seen, vdi_error *err) {
    const int64_t T = a->T, n = a->n, slots = a->rows * a->lanes;
    vdi__classes k;
    int64_t bins = 0;
    size_t count = (size_t)(a->trials * T);
    bool ok = vdi__classes_init(&k, &a->arena, a->trials * T);
    a->bins = (int64_t *)vdi_arena_alloc(&a->arena, count * sizeof(int64_t));
    a->lane_pattern =
        (int64_t *)vdi_arena_alloc(&a->arena, (size_t)(a->lanes * T) * sizeof(int64_t));
    if (!ok || !a->bins || !a->lane_pattern)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds_data_create", "no memory for masks");
    for (int64_t i = 0; i < a->trials; i++) {
        for (int64_t t = 0; t < a->lengths[i]; t++, bins++)
            vdi__classes_add(&k, i * T + t, seen, (size_t)n, a->missing ? (size_t)n : 0, NULL);
    }
    a->patterns = k.count;
    a->pattern_mask =
        (uint8_t *)vdi_arena_alloc(&a->arena, vdi_mul_size((size_t)k.count, (size_t)n));
    a->pattern_start =
        (int64_t *)vdi_arena_calloc(&a->arena, ((size_t)k.count + 1) * sizeof(int64_t));
    a->W_pattern = (double *)vdi_arena_alloc(
        &a->arena, vdi_mul_size((size_t)k.count, (size_t)(a->d * a->d) * sizeof(double)));
    if (!a->pattern_mask || !a->pattern_start || !a->W_pattern)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds_data_create", "no memory for masks");
    for (int64_t p = 0; p < k.count; p++)
        memcpy(a->pattern_mask + p * n, seen + k.first[p] * n, (size_t)n);
    for (int64_t i = 0; i < a->lanes * T; i++)
        a->lane_pattern[i] = -1;
    for (int64_t i = 0; i < a->trials; i++) {
        for (int64_t t = 0; t < a->lengths[i]; t++) {
            a->pattern_start[k.class_of[i * T + t] + 1]++;
            a->lane_pattern[a->lane_of[i] * T + t] = k.class_of[i * T + t];
        }
    }
    for (int64_t p = 0; p < k.count; p++)
        a->pattern_start[p + 1] += a->pattern_start[p];
    /* now the next free place */
    for (int64_t p = 0; p < k.count; p++)
        k.first[p] = a->pattern_start[p];
    for (int64_t s = 0; s < slots; s++) {
        int64_t i = a->trial_at[s];
        for (int64_t t = 0; i >= 0 && t < a->lengths[i]; t++)
            a->bins[k.first[k.class_of[i * T + t]]++] = s * T + t;
    }
    return VDI_OK;
}

/* Copy y and u in, as float64; find what is missing; refuse infinities. */
VDI__FN vdi_status vdi__lds_read(vdi_lds_data *a, const vdi_lds_data_desc *desc, uint8_t *seen,
                                 vdi_error *err) {
    const char *where = "vdi_lds_data_create";
    const int64_t B = a->trials, T = a->T, n = a->n;
    int64_t shape[3], ushape[3];
    shape[0] = ushape[0] = B;
    shape[1] = ushape[1] = T;
    shape[2] = n;
    ushape[2] = a->inputs;
    vdi_status status = vdi_tensor_copy(vdi_tensor_view(a->y, VDI_F64, 3, shape), desc->y, err);
    if (status == VDI_OK && a->inputs > 0)
        status = vdi_tensor_copy(vdi_tensor_view(a->u, VDI_F64, 3, ushape), desc->u, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < B; i++) {
        for (int64_t t = 0; t < T; t++) {
            double *y = a->y + (i * T + t) * n;
            double *u = a->inputs > 0 ? a->u + (i * T + t) * a->inputs : NULL;
            int64_t count = 0;
            bool inside = t < a->lengths[i];
            for (int64_t j = 0; j < n; j++) {
                uint8_t *s = &seen[(i * T + t) * n + j];
                *s = inside && y[j] == y[j];
                if (*s && !(fabs(y[j]) < HUGE_VAL)) {
                    return vdi_error_set(err, VDI_ERR_DATA, where,
                                         "y[%lld,%lld,%lld] is infinite (a missing value is NaN)",
                                         (long long)i, (long long)t, (long long)j);
                }
                if (!*s) y[j] = 0;
                if (inside && !*s) a->missing = true;
                count += *s;
            }
            for (int64_t j = 0; j < a->inputs; j++) {
                if (inside && !(fabs(u[j]) < HUGE_VAL)) {
                    return vdi_error_set(err, VDI_ERR_DATA, where,
                                         "u[%lld,%lld,%lld] is %g, expected a finite number",
                                         (long long)i, (long long)t, (long long)j, u[j]);
                }
                if (!inside) u[j] = 0;
            }
            a->observed_values += count;
            a->observed_bins += count > 0;
        }
    }
    if (a->observed_values == 0) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "y holds no value: %lld trials of %lld bins, all missing",
                             (long long)B, (long long)T);
    }
    return VDI_OK;
}

/* Centre each channel; the variance gives R's floor its scale. */
VDI__FN void vdi__lds_centre(vdi_lds_data *a, const uint8_t *seen) {
    const int64_t rows = a->trials * a->T, n = a->n;
    double total = 0;
    int64_t channels = 0;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0, square = 0, count = 0;
        for (int64_t r = 0; r < rows; r++) {
            if (seen[r * n + j]) {
                sum += a->y[r * n + j];
                count++;
            }
        }
        double mean = count > 0 ? sum / count : 0;
        for (int64_t r = 0; r < rows; r++) {
            if (seen[r * n + j]) {
                double e = a->y[r * n + j] -= mean;
                square += e * e;
                a->channel_count[r / a->T * n + j] += 1;
            }
        }
        a->y_mean[j] = mean;
        if (count > 0) {
            total += square / count;
            channels++;
        }
    }
    a->variance = total / (double)VDI__MAX(channels, 1);
    if (!(a->variance > 0)) a->variance = 1;
}

VDI__FN vdi_blocktri_desc vdi__lds_systems(const vdi_lds_data *a) {
    vdi_blocktri_desc bd = VDI__ZERO;
    bd.dtype = VDI_F64;
    bd.trials = a->lanes;
    bd.T = a->T;
    bd.d = a->d;
    bd.lengths = a->lane_lengths;
    bd.pool = a->pool;
    return bd;
}

VDI__FN vdi_status vdi__lds_scratch(vdi_lds_data *a, bool diagonal_r, vdi_error *err) {
    const size_t d = (size_t)a->d;
    const size_t n = (size_t)a->n;
    const size_t T = (size_t)a->T;
    const size_t B = (size_t)a->trials;
    const size_t G = (size_t)a->lanes;
    const size_t M = (size_t)a->rows;
    const size_t U = (size_t)a->inputs;
    const size_t cov = vdi_mul_size(G * T, d * d * sizeof(double));
    const size_t mean = vdi_mul_size(vdi_mul_size(M * G, T), d * sizeof(double));
    const size_t side = VDI__MAX(n, d), K = d + 1 + U;
    vdi_kalman_desc kd = VDI__ZERO;
    vdi_blocktri_desc bd = vdi__lds_systems(a);
    kd.dtype = VDI_F64;
    kd.groups = a->lanes;
    kd.nrhs = a->rows;
    kd.T = a->T;
    kd.d = a->d;
    const size_t means = vdi_align_size(mean);
    const size_t covs = vdi_align_size(cov);
    const size_t work = vdi_align_size(vdi_kalman_worksize(&kd));
    a->bt_size = vdi_blocktri_memsize(&bd);
    a->route = vdi_arena_alloc(
        &a->arena,
        VDI__MAX(a->bt_size, vdi_add_size(work, vdi_mul_size(2, vdi_add_size(means, covs)))));
    size_t em =
        8 * K * K + 4 * n * K + (diagonal_r ? 4 * n : 4 * n * n) + 16 * d * (d + U) + 4 * side;
    if (diagonal_r && a->missing) em = vdi_add_size(em, (G * T + n) * K * K);
    a->shared_w = !a->missing;
    a->D = (double *)vdi_arena_alloc(&a->arena, cov);
    a->E = (double *)vdi_arena_alloc(&a->arena, cov);
    a->S = (double *)vdi_arena_alloc(&a->arena, cov);
    a->O = (double *)vdi_arena_alloc(&a->arena, cov);
    a->W = (double *)vdi_arena_alloc(&a->arena, cov);
    a->h = (double *)vdi_arena_calloc(&a->arena, mean);
    a->m = (double *)vdi_arena_calloc(&a->arena, mean);
    a->c = (double *)vdi_arena_calloc(&a->arena, mean);
    a->ll = (double *)vdi_arena_calloc(&a->arena, B * sizeof(double));
    a->logdet = (double *)vdi_arena_calloc(&a->arena, G * sizeof(double));
    a->syy = (double *)vdi_arena_calloc(&a->arena, (diagonal_r ? n : n * n) * sizeof(double));
    a->yt = (double *)vdi_arena_calloc(&a->arena, vdi_mul_size(B * T, n * sizeof(double)));
    a->yd = (double *)vdi_arena_calloc(&a->arena, vdi_mul_size(B * T, d * sizeof(double)));
    a->small = (double *)vdi_arena_calloc(
        &a->arena, (8 * d * d + 3 * n * d + n * d * d + 4 * side) * sizeof(double));
    a->chunk =
        (double *)vdi_arena_calloc(&a->arena, VDI__LDS_CHUNK * (2 * n + 2 * K) * sizeof(double));
    a->pattern_r =
        (double *)vdi_arena_calloc(&a->arena, (diagonal_r ? n : 3 * n * n) * sizeof(double));
    a->em = (double *)vdi_arena_calloc(&a->arena, vdi_mul_size(em, sizeof(double)));
    if (!a->route || !a->syy || !a->D || !a->E || !a->S || !a->O || !a->W || !a->h || !a->m ||
        !a->c || !a->ll || !a->logdet || !a->yt || !a->yd || !a->small || !a->chunk ||
        !a->pattern_r || !a->em) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds_data_create",
                             "no memory for %lld trials of %lld bins, %lld channels, %lld latents",
                             (long long)B, (long long)T, (long long)n, (long long)d);
    }
    for (size_t r = 0; diagonal_r && r < B * T; r++)
        vdi_muladd(VDI_F64, n, a->y + r * n, 1, a->y + r * n, 1, a->syy);
    if (!diagonal_r) vdi_gemm(VDI_F64, VDI_GEMM_TA, n, n, B * T, a->y, n, a->y, n, a->syy, n);
    char *route = (char *)a->route;
    a->kalman_work = route;
    a->kmp = (double *)(void *)(route + work);
    a->kmf = (double *)(void *)(route + work + means);
    a->kPp = (double *)(void *)(route + work + 2 * means);
    a->kPf = (double *)(void *)(route + work + 2 * means + covs);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_lds_data_create(const vdi_lds *lds, const vdi_lds_data_desc *desc,
                                        vdi_lds_data **out, vdi_error *err) {
    const char *where = "vdi_lds_data_create";
    const vdi_lds_desc *k = &lds->desc;
    char text[VDI_SHAPE_TEXT];
    vdi_tensor y = desc->y, u = desc->u;
    *out = NULL;
    if ((y.ndim != 2 && y.ndim != 3) || !y.data || y.shape[y.ndim - 1] != k->n) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "y is %s, expected (trials,T,%lld) or (T,%lld)",
                             vdi_tensor_shape_text(y, text), (long long)k->n, (long long)k->n);
    }
    int64_t B = y.ndim == 3 ? y.shape[0] : 1, T = y.shape[y.ndim - 2];
    if (B < 1 || T < 1) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "y is %s: there is nothing in it",
                             vdi_tensor_shape_text(y, text));
    }
    if (k->inputs > 0 && (u.ndim < 2 || u.ndim > 3 || !u.data || u.shape[u.ndim - 1] != k->inputs ||
                          u.shape[u.ndim - 2] != T || (u.ndim == 3 && u.shape[0] != B))) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "u is %s, expected (%lld,%lld,%lld)",
                             vdi_tensor_shape_text(u, text), (long long)B, (long long)T,
                             (long long)k->inputs);
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
    size_t values = vdi_mul_size((size_t)B * (size_t)T, (size_t)k->n);
    vdi_lds_data *a = (vdi_lds_data *)vdi_arena_calloc(&arena, sizeof *a);
    uint8_t *seen = a ? (uint8_t *)vdi_arena_calloc(&arena, values) : NULL;
    vdi_status status = VDI_ERR_MEMORY;
    if (seen) {
        a->trials = B;
        a->T = T;
        a->n = k->n;
        a->d = k->d;
        a->inputs = k->inputs;
        a->pool = desc->pool;
        a->arena = arena;
        a->lengths = (int64_t *)vdi_arena_alloc(&a->arena, (size_t)B * sizeof(int64_t));
        a->y = (double *)vdi_arena_alloc(&a->arena, vdi_mul_size(values, sizeof(double)));
        a->y_mean = (double *)vdi_arena_calloc(&a->arena, (size_t)k->n * sizeof(double));
        a->channel_count =
            (double *)vdi_arena_calloc(&a->arena, (size_t)(B * k->n) * sizeof(double));
        a->u = (double *)vdi_arena_calloc(
            &a->arena,
            vdi_mul_size((size_t)(B * T), (size_t)VDI__MAX(k->inputs, 1) * sizeof(double)));
        if (a->lengths && a->y && a->y_mean && a->channel_count && a->u) {
            for (int64_t i = 0; i < B; i++)
                a->lengths[i] = desc->lengths ? desc->lengths[i] : T;
            status = vdi__lds_read(a, desc, seen, err);
            if (status == VDI_OK) status = vdi__lds_lanes(a, seen, err);
            if (status == VDI_OK && !k->diagonal_r) status = vdi__lds_patterns(a, seen, err);
            if (status == VDI_OK) vdi__lds_centre(a, seen);
            if (status == VDI_OK) status = vdi__lds_scratch(a, k->diagonal_r, err);
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

VDI__DEF void vdi_lds_data_destroy(vdi_lds_data *data) {
    if (!data) return;
    vdi_arena arena = data->arena; /* the object lies in its own arena */
    vdi_arena_free(&arena);
}

VDI__DEF int64_t vdi_lds_data_trials(const vdi_lds_data *data) { return data->trials; }
VDI__DEF int64_t vdi_lds_data_bins(const vdi_lds_data *data) { return data->T; }
VDI__DEF int64_t vdi_lds_data_lanes(const vdi_lds_data *data) { return data->lanes; }
VDI__DEF int64_t vdi_lds_data_lane(const vdi_lds_data *data, int64_t trial) {
    return data->lane_of[trial];
}
VDI__DEF int64_t vdi_lds_data_observed_bins(const vdi_lds_data *data) {
    return data->observed_bins;
}

/* ---- the E-step --------------------------------------------------------------------------------
 * Information of the observations, then one block-tridiagonal system per lane. */

VDI__FN vdi_status vdi__lds_fits(const vdi_lds *p, const vdi_lds_data *a, const char *where,
                                 vdi_error *err) {
    if (p->desc.d == a->d && p->desc.n == a->n && p->desc.inputs == a->inputs &&
        (p->desc.diagonal_r || a->bins))
        return VDI_OK;
    return vdi_error_set(
        err, VDI_ERR_SHAPE, where,
        "data were made for d %lld, n %lld, inputs %lld, the model has %lld, %lld, %lld",
        (long long)a->d, (long long)a->n, (long long)a->inputs, (long long)p->desc.d,
        (long long)p->desc.n, (long long)p->desc.inputs);
}

VDI__FN double *vdi__lds_slot(const vdi_lds_data *a, double *x, int64_t trial) {
    return x + (a->row_of[trial] * a->lanes + a->lane_of[trial]) * a->T * a->d;
}

/* yt = y - b - D u where observed, else 0 */
VDI__FN void vdi__lds_residual(const vdi_lds *p, vdi_lds_data *a) {
    const int64_t n = a->n, U = a->inputs;
    double *shift = a->small; /* (n) */
    for (int64_t j = 0; j < n; j++)
        shift[j] = a->y_mean[j] - p->b[j];
    for (int64_t i = 0; i < a->trials; i++) {
        for (int64_t t = 0; t < a->lengths[i]; t++) {
            double *r = a->yt + (i * a->T + t) * n;
            const double *y = a->y + (i * a->T + t) * n;
            const double *mask = a->mask ? a->mask + (a->lane_of[i] * a->T + t) * n : NULL;
            vdi_binary(VDI_F64, VDI_ADD, (size_t)n, y, 1, shift, 1, r);
            if (U > 0) {
                const double *u = a->u + (i * a->T + t) * U;
                for (int64_t j = 0; j < n; j++) {
                    for (int64_t q = 0; q < U; q++)
                        r[j] -= p->D[j * U + q] * u[q];
                }
            }
            if (mask) vdi_binary(VDI_F64, VDI_MUL, (size_t)n, r, 1, mask, 1, r);
        }
    }
}

/* Diagonal R: W_t = sum over observed channels of C_j C_j' / R_jj, h_t = C' R^{-1} yt. Adds the
 * observations' share to ll. */
VDI__FN void vdi__lds_observe_diagonal(const vdi_lds *p, vdi_lds_data *a) {
    const int64_t n = a->n;
    const int64_t d = a->d;
    const int64_t dd = d * d;
    const int64_t rows = a->trials * a->T;
    /* (n,d), (n), (n), (n,d*d) */
    double *CR = a->small + n;
    double *rinv = CR + n * d;
    double *logr = rinv + n;
    double *CC = logr + n;
    for (int64_t j = 0; j < n; j++) {
        rinv[j] = 1 / p->R[j * n + j];
        logr[j] = log(p->R[j * n + j]) + VDI_LOG_2PI;
        for (int64_t k = 0; k < d; k++)
            CR[j * d + k] = p->C[j * d + k] * rinv[j];
    }
    if (a->shared_w) {
        vdi_gemm(VDI_F64, VDI_GEMM_TA, (size_t)d, (size_t)d, (size_t)n, p->C, (size_t)d, CR,
                 (size_t)d, a->W, (size_t)d);
    } else {
        for (int64_t j = 0; j < n; j++) {
            for (int64_t k = 0; k < dd; k++)
                CC[j * dd + k] = p->C[j * d + k / d] * CR[j * d + k % d];
        }
        vdi_gemm(VDI_F64, 0, (size_t)(a->lanes * a->T), (size_t)dd, (size_t)n, a->mask, (size_t)n,
                 CC, (size_t)dd, a->W, (size_t)dd);
    }
    vdi_gemm(VDI_F64, 0, (size_t)rows, (size_t)d, (size_t)n, a->yt, (size_t)n, CR, (size_t)d, a->yd,
             (size_t)d);
    for (int64_t i = 0; i < a->trials; i++) {
        double quad = 0, logdet = 0;
        for (int64_t j = 0; j < n; j++)
            logdet += a->channel_count[i * n + j] * logr[j];
        for (int64_t t = 0; t < a->lengths[i]; t++) {
            const double *r = a->yt + (i * a->T + t) * n;
            double s = 0;
            for (int64_t j = 0; j < n; j++)
                s += r[j] * r[j] * rinv[j];
            quad += s;
        }
        a->ll[i] -= 0.5 * (quad + logdet);
    }
}

/* Factor of the observed part of R for one pattern into pattern_r, its channels' indices into
 * `index`; returns how many. */
VDI__FN vdi_status vdi__lds_pattern_factor(const vdi_lds *p, vdi_lds_data *a, int64_t pattern,
                                           int64_t *index, int64_t *count, vdi_error *err) {
    const int64_t n = a->n;
    int64_t m = 0;
    for (int64_t j = 0; j < n; j++)
        if (a->pattern_mask[pattern * n + j]) index[m++] = j;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < m; j++)
            a->pattern_r[n * n + i * m + j] = p->R[index[i] * n + index[j]];
    }
    *count = m;
    return vdi__lds_cholesky("R", m, a->pattern_r + n * n, a->pattern_r, err);
}

/* Full R, pattern by pattern: its bins' rows are gathered, so that each pattern is a few matrix
 * products. */
VDI__FN vdi_status vdi__lds_observe_patterns(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    const int64_t n = a->n, d = a->d, T = a->T;
    double *CR = a->small + n, *Y = a->chunk, *H = a->chunk + VDI__LDS_CHUNK * n;
    /* there is room for n of them in the third (n,n) */
    int64_t *index = (int64_t *)(void *)(a->pattern_r + 2 * n * n);
    for (int64_t q = 0; q < a->patterns; q++) {
        int64_t m, first = a->pattern_start[q], last = a->pattern_start[q + 1];
        vdi_status status = vdi__lds_pattern_factor(p, a, q, index, &m, err);
        if (status < 0) return status;
        double logdet = vdi_cholesky_logdet(VDI_F64, (size_t)m, a->pattern_r, (size_t)m) +
                        (double)m * VDI_LOG_2PI;
        /* whitened read-out L^{-1} C_o, so that W is a square and h a product of whitened things */
        for (int64_t i = 0; i < m; i++)
            memcpy(CR + i * d, p->C + index[i] * d, (size_t)d * sizeof(double));
        vdi_trsm(VDI_F64, VDI_TRSM_LOWER, (size_t)m, (size_t)d, a->pattern_r, (size_t)m, CR,
                 (size_t)d);
        double *W = a->shared_w ? a->W : a->W_pattern + q * d * d;
        vdi_gemm(VDI_F64, VDI_GEMM_TA, (size_t)d, (size_t)d, (size_t)m, CR, (size_t)d, CR,
                 (size_t)d, W, (size_t)d);
        for (int64_t at = first; at < last; at += VDI__LDS_CHUNK) {
            int64_t rows = VDI__MIN(last - at, VDI__LDS_CHUNK);
            for (int64_t r = 0; r < rows; r++) {
                const double *y =
                    a->yt + (a->trial_at[a->bins[at + r] / T] * T + a->bins[at + r] % T) * n;
                for (int64_t i = 0; i < m; i++)
                    Y[r * m + i] = y[index[i]];
            }
            vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, (size_t)m, (size_t)rows,
                     a->pattern_r, (size_t)m, Y, (size_t)m);
            vdi_gemm(VDI_F64, 0, (size_t)rows, (size_t)d, (size_t)m, Y, (size_t)m, CR, (size_t)d, H,
                     (size_t)d);
            for (int64_t r = 0; r < rows; r++) {
                int64_t trial = a->trial_at[a->bins[at + r] / T], t = a->bins[at + r] % T;
                memcpy(a->yd + (trial * T + t) * d, H + r * d, (size_t)d * sizeof(double));
                a->ll[trial] -= 0.5 * (vdi_dot(VDI_F64, (size_t)m, Y + r * m, Y + r * m) + logdet);
            }
        }
    }
    for (int64_t i = 0; !a->shared_w && i < a->lanes * T; i++) {
        if (a->lane_pattern[i] >= 0) {
            memcpy(a->W + i * d * d, a->W_pattern + a->lane_pattern[i] * d * d,
                   (size_t)(d * d) * sizeof(double));
        } else {
            memset(a->W + i * d * d, 0, (size_t)(d * d) * sizeof(double));
        }
    }
    return VDI_OK;
}

VDI__FN const double *vdi__lds_w(const vdi_lds_data *a, int64_t lane, int64_t t) {
    return a->shared_w ? a->W : a->W + (lane * a->T + t) * a->d * a->d;
}

/* Observations into W, yd and ll; the state inputs c_t = B u_t (c_1 = x0) into c, by slots. */
VDI__FN vdi_status vdi__lds_observe(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    const int64_t d = a->d, U = a->inputs, T = a->T;
    vdi_status status = VDI_OK;
    vdi__lds_residual(p, a);
    memset(a->ll, 0, (size_t)a->trials * sizeof(double));
    if (p->desc.diagonal_r)
        vdi__lds_observe_diagonal(p, a);
    else
        status = vdi__lds_observe_patterns(p, a, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < a->trials; i++) {
        double *c = vdi__lds_slot(a, a->c, i);
        if (U > 0) {
            vdi_gemm(VDI_F64, VDI_GEMM_TB, (size_t)T, (size_t)d, (size_t)U, a->u + i * T * U,
                     (size_t)U, p->B, (size_t)U, c, (size_t)d);
        }
        if (a->lengths[i] > 0) memcpy(c, p->x0, (size_t)d * sizeof(double));
    }
    return VDI_OK;
}

/* The prior of the latents as a precision: blocks Q0^{-1} or Q^{-1}, plus A'Q^{-1}A but for the
 * last bin, and -Q^{-1}A under the diagonal.
 */
typedef struct vdi__lds_prior {
    double *Q0i, *Qi, *AQA, *QA; /* (d,d): Q0^{-1}, Q^{-1}, A'Q^{-1}A, -Q^{-1}A */
    double *hx;                  /* (d): Q0^{-1} x0 */
    double logdet_q, logdet_0;   /* log|Q|, log|Q0| */
    double *rest;                /* (d,d) of `work` that is free again */
} vdi__lds_prior;
#define VDI__LDS_PRIOR_WORK(d) (7 * (d) * (d) + (d))

/* Squares and products of L^{-1} and L^{-1}A, with Q = L L'. `work` holds VDI__LDS_PRIOR_WORK(d)
 * and carries the result. */
VDI__FN vdi_status vdi__lds_prior_of(const vdi_lds *p, double *work, vdi__lds_prior *out,
                                     vdi_error *err) {
    const int64_t d = p->desc.d, dd = d * d;
    double *Lq = work, *L0 = Lq + dd, *X = L0 + dd;
    out->Qi = X + dd;
    out->Q0i = out->Qi + dd;
    out->QA = out->Q0i + dd;
    out->AQA = out->QA + dd;
    out->hx = out->AQA + dd;
    out->rest = X;
    vdi_status status = vdi__lds_cholesky("Q", d, p->Q, Lq, err);
    if (status == VDI_OK) status = vdi__lds_cholesky("Q0", d, p->Q0, L0, err);
    if (status < 0) return status;
    vdi_cholesky_inverse(VDI_F64, (size_t)d, Lq, (size_t)d, out->Qi, (size_t)d);
    vdi_cholesky_inverse(VDI_F64, (size_t)d, L0, (size_t)d, out->Q0i, (size_t)d);
    memcpy(X, p->A, (size_t)dd * sizeof(double));
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, (size_t)d, (size_t)d, Lq, (size_t)d, X, (size_t)d);
    vdi_gemm(VDI_F64, VDI_GEMM_TA, (size_t)d, (size_t)d, (size_t)d, X, (size_t)d, X, (size_t)d,
             out->AQA, (size_t)d);
    vdi_trsm(VDI_F64, VDI_TRSM_TRANS, (size_t)d, (size_t)d, Lq, (size_t)d, X, (size_t)d);
    for (int64_t i = 0; i < dd; i++)
        out->QA[i] = -X[i];
    vdi_gemv(VDI_F64, 0, (size_t)d, (size_t)d, out->Q0i, (size_t)d, p->x0, out->hx);
    out->logdet_q = vdi_cholesky_logdet(VDI_F64, (size_t)d, Lq, (size_t)d);
    out->logdet_0 = vdi_cholesky_logdet(VDI_F64, (size_t)d, L0, (size_t)d);
    return VDI_OK;
}

/* The posterior of every trial: after it, m (rows,lanes,T,d) holds means, S and O the covariances
 * (if wanted), ll log p(y). */
VDI__FN vdi_status vdi__lds_posterior(const vdi_lds *p, vdi_lds_data *a, bool covariances,
                                      vdi_error *err) {
    const int64_t d = a->d;
    const int64_t dd = d * d;
    const int64_t T = a->T;
    const int64_t U = a->inputs;
    vdi__lds_prior prior = VDI__ZERO;
    vdi_status status = vdi__lds_observe(p, a, err); /* uses `small` before we do */
    if (status == VDI_OK) status = vdi__lds_prior_of(p, a->small, &prior, err);
    if (status < 0) return status;
    for (int64_t g = 0; g < a->lanes; g++) {
        for (int64_t t = 0; t < a->lane_lengths[g]; t++) {
            double *D = a->D + (g * T + t) * dd;
            const double *W = vdi__lds_w(a, g, t), *own = t == 0 ? prior.Q0i : prior.Qi;
            bool last = t + 1 == a->lane_lengths[g];
            for (int64_t i = 0; i < dd; i++)
                D[i] = W[i] + own[i] + (last ? 0 : prior.AQA[i]);
            if (!last) memcpy(a->E + (g * (T - 1) + t) * dd, prior.QA, (size_t)dd * sizeof(double));
        }
    }
    for (int64_t i = 0; i < a->trials; i++) {
        double *h = vdi__lds_slot(a, a->h, i), *c = vdi__lds_slot(a, a->c, i);
        int64_t length = a->lengths[i];
        if (length == 0) continue;
        memcpy(h, a->yd + i * T * d, (size_t)(length * d) * sizeof(double));
        vdi_axpby(VDI_F64, (size_t)d, 1, prior.hx, 1, h);
        a->ll[i] -= 0.5 * (prior.logdet_0 + (double)(length - 1) * prior.logdet_q +
                           vdi_dot(VDI_F64, (size_t)d, prior.hx, p->x0));
        for (int64_t t = 1; U > 0 && t < length; t++) {
            double *v = prior.rest; /* Q^{-1} c_t */
            vdi_gemv(VDI_F64, 0, (size_t)d, (size_t)d, prior.Qi, (size_t)d, c + t * d, v);
            vdi_axpby(VDI_F64, (size_t)d, 1, v, 1, h + t * d);
            vdi_gemv(VDI_F64, VDI_GEMM_TA | VDI_GEMM_ACC, (size_t)d, (size_t)d, prior.QA, (size_t)d,
                     c + t * d, h + (t - 1) * d);
            a->ll[i] -= 0.5 * vdi_dot(VDI_F64, (size_t)d, v, c + t * d);
        }
    }
    const vdi_blocktri_desc systems = vdi__lds_systems(a);
    status = vdi_blocktri_init(&a->bt, &systems, a->route, a->bt_size, err);
    if (status >= 0) status = vdi_blocktri_factor(&a->bt, a->D, a->E, err);
    if (status < 0) return status;
    vdi_blocktri_logdet(&a->bt, a->logdet);
    vdi_blocktri_solve(&a->bt, a->rows, a->h, a->m);
    if (covariances) vdi_blocktri_marginals(&a->bt, a->S, a->O);
    for (int64_t i = 0; i < a->trials; i++) {
        double quad = vdi_dot(VDI_F64, (size_t)(a->lengths[i] * d), vdi__lds_slot(a, a->h, i),
                              vdi__lds_slot(a, a->m, i));
        if (a->lengths[i] > 0) a->ll[i] += 0.5 * (quad - a->logdet[a->lane_of[i]]);
        if (!(fabs(a->ll[i]) < HUGE_VAL)) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_lds",
                                 "log likelihood of trial %lld is %g", (long long)i, a->ll[i]);
        }
    }
    return VDI_OK;
}

/* Means by slots -> by trials */
VDI__FN void vdi__lds_unslot(const vdi_lds_data *a, double *slots, double *out) {
    size_t bytes = (size_t)(a->T * a->d) * sizeof(double);
    for (int64_t i = 0; out && i < a->trials; i++)
        memcpy(out + i * a->T * a->d, vdi__lds_slot(a, slots, i), bytes);
}

VDI__FN vdi_status vdi__lds_filter(const vdi_lds *p, vdi_lds_data *a, const vdi_lds_moments *out,
                                   vdi_error *err) {
    const size_t cov = (size_t)(a->lanes * a->T * a->d * a->d) * sizeof(double);
    vdi_kalman_desc kd = VDI__ZERO;
    kd.dtype = VDI_F64;
    kd.groups = a->lanes;
    kd.nrhs = a->rows;
    kd.T = a->T;
    kd.d = a->d;
    kd.lengths = a->lane_lengths;
    vdi_status status = vdi__lds_observe(p, a, err);
    if (status < 0) return status;
    if (a->shared_w) { /* the filter reads one W per bin; D is free here */
        for (int64_t i = 0; i < a->lanes * a->T; i++)
            memcpy(a->D + i * a->d * a->d, a->W, (size_t)(a->d * a->d) * sizeof(double));
    }
    for (int64_t i = 0; i < a->trials; i++) {
        memcpy(vdi__lds_slot(a, a->h, i), a->yd + i * a->T * a->d,
               (size_t)(a->T * a->d) * sizeof(double));
    }
    double *ll = a->E; /* (rows,lanes) */
    if (a->rows > a->T * a->d * a->d) ll = a->m;
    status = vdi_kalman_filter(&kd, p->A, p->Q, p->Q0, a->shared_w ? a->D : a->W, a->h, a->c,
                               a->kalman_work, a->kmp, a->kPp, a->kmf, a->kPf, ll, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < a->trials; i++)
        a->ll[i] += ll[a->row_of[i] * a->lanes + a->lane_of[i]];
    vdi__lds_unslot(a, a->kmp, out->mp);
    vdi__lds_unslot(a, a->kmf, out->mf);
    if (out->Pp) memcpy(out->Pp, a->kPp, cov);
    if (out->Pf) memcpy(out->Pf, a->kPf, cov);
    if (out->kalman && (out->ms || out->Ps || out->Pc)) {
        status = vdi_kalman_smooth(&kd, p->A, a->kmp, a->kPp, a->kmf, a->kPf, a->kalman_work, a->m,
                                   a->S, a->O, err);
        if (status < 0) return status;
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_lds_smooth(const vdi_lds *lds, vdi_lds_data *data,
                                   const vdi_lds_moments *out, vdi_error *err) {
    const int64_t d = data->d, T = data->T;
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_smooth", err);
    bool filter = out->kalman || out->mp || out->Pp || out->mf || out->Pf;
    if (status == VDI_OK && filter) status = vdi__lds_filter(lds, data, out, err);
    if (status == VDI_OK && !out->kalman)
        status = vdi__lds_posterior(lds, data, out->Ps || out->Pc, err);
    if (status < 0) return status;
    vdi__lds_unslot(data, data->m, out->ms);
    if (out->Ps) memcpy(out->Ps, data->S, (size_t)(data->lanes * T * d * d) * sizeof(double));
    if (out->Pc && T > 1)
        memcpy(out->Pc, data->O, (size_t)(data->lanes * (T - 1) * d * d) * sizeof(double));
    if (out->ll) memcpy(out->ll, data->ll, (size_t)data->trials * sizeof(double));
    return VDI_OK;
}

VDI__DEF vdi_status vdi_lds_log_likelihood(const vdi_lds *lds, vdi_lds_data *data, double *ll,
                                           double *sum, vdi_error *err) {
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_log_likelihood", err);
    if (status == VDI_OK) status = vdi__lds_posterior(lds, data, false, err);
    if (status < 0) return status;
    if (ll) memcpy(ll, data->ll, (size_t)data->trials * sizeof(double));
    if (sum) *sum = vdi_sum(VDI_F64, (size_t)data->trials, data->ll);
    return VDI_OK;
}
#endif
