/* model/lds/data.h - the internal form of the observations, and the scratch memory of all steps;
 * declared in lds.h
 *
 * Values are float64, centred channel by channel; what is missing, or behind a trial's end, is 0.
 */
#ifndef VDI_MODEL_LDS_DATA_H
#define VDI_MODEL_LDS_DATA_H
#include "../../linalg/blocktri.h"
#include "../../linalg/kalman.h"
#include "lanes.h"
#include "lds.h"
#include "root.h"
#endif /* VDI_MODEL_LDS_DATA_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_DATA_C)
#define VDI_MODEL_LDS_DATA_C

/* Bins of a pattern are worked on in chunks of this many rows. */
#define VDI__LDS_CHUNK 64

/* What the M-step sums of the read-out (em.h): y and x = (z, 1, u), K = d + 1 + inputs, with z
 * about its mean over all bins. */
typedef struct vdi__lds_sums {
    int64_t K;
    double *centre;       /* (d): that mean */
    double *yy, *yx, *xx; /* (n,n), or (n) for a diagonal R; (n,K), (K,K) */
    double *xx_channel;   /* (n,K*K) where each channel has its own, else NULL */
    double *wide;         /* (CHUNK,K*K): diagonal R with missing values */
    double *S_channel; /* (n,d*d): there, the covariances of the bins that a channel was seen in */
    double *S_pattern; /* (patterns,d*d): full R, those of a pattern's bins */
    double *expected;  /* (n,K): C, b - y_mean + C centre, D as they are: E y = expected x */
    vdi__ties *ties;   /* of (C, D), or NULL */
    double *tied;      /* (n,K-1): C, D under them */
    vdi__regression g; /* of y on (z, u), K - 1 columns; of yy a diagonal R needs (n) */
    double *theta;     /* (n,K-1): C, D as they are sought */
    double *row, *cross;  /* (max(K,n)) scratch */
    double *eigen;        /* 3 n n + n, full R */
    double *XX, *Yx, *Yy; /* of one pattern: (K,K), (n,K), (n,n) */
    double *gain, *rest;  /* of one pattern: (n,n), (n,K) */
} vdi__lds_sums;

/* Scratch of the observations' share of the E-step (smooth.h). */
typedef struct vdi__lds_observed {
    double *shift;             /* (CHUNK,n): y_mean - b in each row */
    double *rinv, *logr;       /* (n) */
    double *squares;           /* (n) */
    double *CR;                /* (n,d): R^{-1} C, or the whitened read-out of a pattern */
    double *CC;                /* (n,d*d) */
    double *minus_CR;          /* (n,d): -C, or minus the whitened read-out of a pattern */
    double *factor, *gathered; /* (n,n): of a pattern's part of R */
    int64_t *seen, *lost;      /* (n): the channels of a pattern, and the others */
    double *Y, *X;             /* (CHUNK,n), (CHUNK,K): rows of a pattern */
    double *whole, *drift;     /* (CHUNK,n), (CHUNK,d): rows of all channels; of B u */
} vdi__lds_observed;

/* Scratch of the start (start.h): M columns stand for y, `lag` bins for the past, K = (M + inputs)
 * lag
 * + inputs + 1. */
typedef struct vdi__lds_start {
    int64_t M, lag, K;
    double *V;           /* (n,max(d,1)) */
    double *xx, *X;      /* (K,K), (CHUNK,K) and M more */
    double *yx, *theta;  /* (M,K) or (n,d+inputs+1) */
    double *rest, *mean; /* (n) */
} vdi__lds_start;

/* Scratch of the exact route (exact.h). */
typedef struct vdi__lds_exact_work {
    vdi__root root;
    double *N, *P, *X; /* 3 d d, (d,d), 2 d d */
    double *r;         /* (rows,d) */
    double *scale;     /* (max(n,d)) */
    double *path;      /* a draw: of the chain, and a root of R with its scratch */
} vdi__lds_exact_work;

/* What a posterior in windows holds (windows.h). */
typedef struct vdi__lds_window {
    int64_t bins, count;   /* of a window, that it has alone; 0: trials are worked on whole */
    int64_t *lengths;      /* (lanes) */
    double *D, *E, *S, *O; /* (lanes,bins+1,d,d), (lanes,bins,d,d) */
    double *h;             /* (rows,lanes,bins+1,d) */
    double *carry_D;       /* (count,lanes,d,d): of each window's first bin, eliminated up to it */
    double *carry_h, *own_h; /* (count,rows,lanes,d): likewise, and as it was */
    double *behind, *before; /* (lanes,d,d): S^{-1} of the bin behind; that of the window before */
    double *root;            /* (d,d) */
    double *logdet;          /* (lanes) */
    void *block;             /* of bt */
    size_t block_size;
} vdi__lds_window;

struct vdi_lds_data {
    vdi_arena arena; /* all of it, this object too */
    vdi_pool *pool;
    vdi_ranks ranks; /* y_mean, variance, `missing` and the observed_ counts are those of all */
    int64_t trials, T, n, d, inputs;
    int64_t *lengths; /* (trials) */
    double *y;        /* (trials,T,n): centred on y_mean; 0 where missing */
    double *y_mean;   /* (n) */
    double *yy;       /* sum over bins of y y', centred, 0 where missing: (n,n), or (n) for a
                              diagonal R */
    double *u;        /* (trials,T,inputs); 0 behind the length */
    double *variance; /* (n): of each channel; of one that never varies, the mean of the others */
    double *channel_count; /* (trials,n): observed bins */
    int64_t observed_bins, observed_values;
    bool missing, diagonal_r;
    bool whole; /* memory for the covariances of all bins is there */
    vdi__lds_window window;
    const vdi_lds_ties *ties; /* the model's */
    vdi__lanes lane;
    vdi__patterns pattern; /* full R */
    /* the posterior: precision blocks, information, means, covariances */
    vdi_blocktri bt;
    double *D, *E;         /* (lanes,T,d,d), (lanes,T-1,d,d) */
    double *W, *W_pattern; /* (lanes,T,d,d) or one (d,d) where `shared_w`; (patterns,d,d) */
    bool shared_w;
    double *h, *m, *c;   /* (rows,lanes,T,d); c only for the filter and the exact route */
    double *S, *O;       /* (lanes,T,d,d), (lanes,T-1,d,d) */
    double *ll, *logdet; /* (trials), (lanes) */
    double *yt, *yd;     /* (trials,T,n): y - b - D u, masked, of the exact route; (trials,T,d).
                            Both are the start's scratch */
    double *prior;       /* VDI__CHAIN_PRIOR_WORK(d) */
    vdi__lds_observed observed;
    vdi__lds_sums sums;
    vdi__chain_sums chain;
    vdi__lds_start start;
    vdi__lds_exact_work exact;
    double *last;                /* (lanes,d,d): covariances of the last bins */
    double *ahead_m, *ahead_P;   /* (d), (d,d): a forecast's */
    double *ahead_CP, *ahead_AP; /* (n,d), d d + d */
    /* One of the two routes runs at a time, and each begins from D or W: both have the same memory
     * for what they make. */
    void *route;
    size_t bt_size;
    void *kalman_work;
    double *kmp, *kPp, *kmf, *kPf;
};

VDI__DEF void vdi_lds_data_destroy(vdi_lds_data *data) {
    if (!data) return;
    vdi_arena arena = data->arena; /* the object lies in its own arena */
    vdi_arena_free(&arena);
}

VDI__DEF int64_t vdi_lds_data_trials(const vdi_lds_data *data) { return data->trials; }
VDI__DEF int64_t vdi_lds_data_bins(const vdi_lds_data *data) { return data->T; }
VDI__DEF int64_t vdi_lds_data_lanes(const vdi_lds_data *data) { return data->lane.count; }
VDI__DEF int64_t vdi_lds_data_lane(const vdi_lds_data *data, int64_t trial) {
    return data->lane.of[trial];
}
VDI__DEF int64_t vdi_lds_data_observed_bins(const vdi_lds_data *data) {
    return data->observed_bins;
}

VDI__DEF int64_t vdi_lds_data_window(const vdi_lds_data *data) { return data->window.bins; }
VDI__DEF size_t vdi_lds_data_bytes(const vdi_lds_data *data) { return data->arena.used; }

/* Is this data of that model? */
VDI__FN vdi_status vdi__lds_fits(const vdi_lds *p, const vdi_lds_data *a, const char *where,
                                 vdi_error *err) {
    if (p->desc.d != a->d || p->desc.n != a->n || p->desc.inputs != a->inputs) {
        return vdi_error_set(
            err, VDI_ERR_SHAPE, where,
            "data were made for d %lld, n %lld, inputs %lld, the model has %lld, %lld, %lld",
            (long long)a->d, (long long)a->n, (long long)a->inputs, (long long)p->desc.d,
            (long long)p->desc.n, (long long)p->desc.inputs);
    }
    if (p->desc.ties != a->ties) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "data were made for a model with other ties (desc.ties)");
    }
    if (p->desc.diagonal_r == a->diagonal_r) return VDI_OK;
    return vdi_error_set(
        err, VDI_ERR_SHAPE, where, "data were made for a %s R, the model has a %s one",
        a->diagonal_r ? "diagonal" : "full", p->desc.diagonal_r ? "diagonal" : "full");
}

VDI__FN double *vdi__lds_slot(const vdi_lds_data *a, double *x, int64_t trial) {
    return x + (a->lane.row_of[trial] * a->lane.count + a->lane.of[trial]) * a->T * a->d;
}

/* ---- taking in ------------------------------------------------------------------------------- */

VDI__FN vdi_status vdi__lds_data_check(const vdi_lds_desc *model, const vdi_lds_data_desc *desc,
                                       vdi__series *s, vdi_error *err) {
    static const char where[] = "vdi_lds_data_desc";
    vdi_status status = vdi__series_of(desc->y, model->n, where, s, err);
    if (status == VDI_OK)
        status = vdi__series_check_columns(s, desc->u, model->inputs, "u", where, err);
    if (status == VDI_OK) status = vdi__series_check_lengths(s, desc->lengths, 0, where, err);
    if (status == VDI_OK && desc->window < 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "window is %lld, expected 0 or more",
                             (long long)desc->window);
    }
    if (status == VDI_OK) status = vdi_ranks_check(&desc->ranks, err);
    if (status == VDI_OK && desc->ranks.count > s->trials) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "ranks.count is %d: expected at most one for each of %lld trials",
                             (int)desc->ranks.count, (long long)s->trials);
    }
    return status;
}

VDI__DEF vdi_status vdi_lds_data_desc_check(const vdi_lds *lds, const vdi_lds_data_desc *desc,
                                            vdi_error *err) {
    vdi__series s;
    return vdi__lds_data_check(&lds->desc, desc, &s, err);
}

/* A bin's values: which are seen, and a 0 where they are not. Returns how many are seen, or -1. */
VDI__FN int64_t vdi__lds_read_values(vdi_lds_data *a, int64_t i, int64_t t, uint8_t *seen,
                                     vdi_error *err) {
    double *y = a->y + (i * a->T + t) * a->n;
    const bool inside = t < a->lengths[i];
    int64_t count = 0;
    for (int64_t j = 0; j < a->n; j++) {
        seen[j] = inside && y[j] == y[j];
        if (seen[j] && !vdi__is_finite(y[j])) {
            (void)vdi_error_set(err, VDI_ERR_DATA, "vdi_lds_data_create",
                                "y[%lld,%lld,%lld] is infinite (a missing value is NaN)",
                                (long long)i, (long long)t, (long long)j);
            return -1;
        }
        if (!seen[j]) y[j] = 0;
        if (inside && !seen[j]) a->missing = true;
        count += seen[j];
    }
    return count;
}

VDI__FN vdi_status vdi__lds_read_inputs(const vdi_lds_data *a, int64_t i, int64_t t,
                                        vdi_error *err) {
    const bool inside = t < a->lengths[i];
    for (int64_t j = 0; j < a->inputs; j++) {
        double *u = a->u + (i * a->T + t) * a->inputs + j;
        if (inside && !vdi__is_finite(*u)) {
            return vdi_error_set(err, VDI_ERR_DATA, "vdi_lds_data_create",
                                 "u[%lld,%lld,%lld] is %g, expected a finite number", (long long)i,
                                 (long long)t, (long long)j, *u);
        }
        if (!inside) *u = 0;
    }
    return VDI_OK;
}

/* Copy y and u in, as float64; find what is missing; refuse infinities. */
VDI__FN vdi_status vdi__lds_read(vdi_lds_data *a, const vdi_lds_data_desc *desc, uint8_t *seen,
                                 vdi_error *err) {
    const int64_t B = a->trials, T = a->T;
    vdi_status status =
        vdi_tensor_copy(vdi_tensor_3d(a->y, VDI_F64, B, T, a->n), vdi__series_view(desc->y), err);
    if (status == VDI_OK && a->inputs > 0) {
        status = vdi_tensor_copy(vdi_tensor_3d(a->u, VDI_F64, B, T, a->inputs),
                                 vdi__series_view(desc->u), err);
    }
    for (int64_t r = 0; status == VDI_OK && r < B * T; r++) {
        const int64_t count = vdi__lds_read_values(a, r / T, r % T, seen + r * a->n, err);
        if (count < 0) return VDI_ERR_DATA;
        a->observed_values += count;
        a->observed_bins += count > 0;
        status = vdi__lds_read_inputs(a, r / T, r % T, err);
    }
    if (status == VDI_OK && a->observed_values == 0) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_lds_data_create",
                             "y holds no value: %lld trials of %lld bins, all missing",
                             (long long)B, (long long)T);
    }
    return status;
}

/* Centre channel j; its variance, or 0 if it does not vary by more than rounding. */
VDI__FN double vdi__lds_centre_channel(vdi_lds_data *a, int64_t j, const uint8_t *seen) {
    const int64_t rows = a->trials * a->T, n = a->n;
    double sum = 0, square = 0, count = 0;
    for (int64_t r = 0; r < rows; r++) {
        if (!seen[r * n + j]) continue;
        sum += a->y[r * n + j];
        count++;
    }
    const double mean = count > 0 ? sum / count : 0;
    for (int64_t r = 0; r < rows; r++) {
        if (!seen[r * n + j]) continue;
        a->y[r * n + j] -= mean;
        square += a->y[r * n + j] * a->y[r * n + j];
        a->channel_count[r / a->T * n + j] += 1;
    }
    a->y_mean[j] = mean;
    if (count == 0 || sqrt(square / count) < 1e-14 * fabs(mean)) return 0;
    return square / count;
}

/* Centre each channel; the variances give R's floor its scale. */
VDI__FN void vdi__lds_centre(vdi_lds_data *a, const uint8_t *seen) {
    double total = 0, channels = 0;
    for (int64_t j = 0; j < a->n; j++) {
        a->variance[j] = vdi__lds_centre_channel(a, j, seen);
        total += a->variance[j];
        channels += a->variance[j] > 0;
    }
    for (int64_t j = 0; j < a->n; j++)
        if (!(a->variance[j] > 0)) a->variance[j] = channels > 0 ? total / channels : 1;
}

VDI__FN void vdi__lds_sum_squares(vdi_lds_data *a) {
    const size_t n = (size_t)a->n, rows = (size_t)(a->trials * a->T);
    if (!a->diagonal_r) {
        vdi_gemm(VDI_F64, VDI_GEMM_TA, n, n, rows, a->y, n, a->y, n, a->yy, n);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        vdi_muladd(VDI_F64, n, a->y + r * n, 1, a->y + r * n, 1, a->yy);
}

/* ---- memory ---------------------------------------------------------------------------------- */

VDI__FN vdi_blocktri_desc vdi__lds_systems(const vdi_lds_data *a) {
    vdi_blocktri_desc bd = VDI__ZERO;
    bd.dtype = VDI_F64;
    bd.trials = a->lane.count;
    bd.T = a->T;
    bd.d = a->d;
    bd.lengths = a->lane.lengths;
    bd.pool = a->pool;
    return bd;
}

VDI__FN vdi_kalman_desc vdi__lds_kalman(const vdi_lds_data *a) {
    vdi_kalman_desc kd = VDI__ZERO;
    kd.dtype = VDI_F64;
    kd.groups = a->lane.count;
    kd.nrhs = a->lane.rows;
    kd.T = a->T;
    kd.d = a->d;
    kd.lengths = a->lane.lengths;
    kd.shared_w = a->shared_w;
    return kd;
}

/* Numbers of the means by slots, and of the covariances by lanes. */
VDI__FN size_t vdi__lds_means(const vdi_lds_data *a) {
    const size_t slots = vdi_mul_size((size_t)a->lane.rows, (size_t)a->lane.count);
    return vdi_mul_size(vdi_mul_size(slots, (size_t)a->T), (size_t)a->d);
}
VDI__FN size_t vdi__lds_covariances(const vdi_lds_data *a) {
    const size_t bins = vdi_mul_size((size_t)a->lane.count, (size_t)a->T);
    return vdi_mul_size(bins, (size_t)(a->d * a->d));
}

VDI__FN void vdi__lds_take_routes(vdi_lds_data *a, bool *ok) {
    const vdi_blocktri_desc bd = vdi__lds_systems(a);
    const vdi_kalman_desc kd = vdi__lds_kalman(a);
    const size_t real = sizeof(double);
    const size_t means = vdi_align_size(vdi_mul_size(vdi__lds_means(a), real));
    const size_t covs = vdi_align_size(vdi_mul_size(vdi__lds_covariances(a), real));
    const size_t work = vdi_align_size(vdi_kalman_worksize(&kd));
    const size_t kalman = vdi_add_size(work, vdi_mul_size(2, vdi_add_size(means, covs)));
    a->bt_size = vdi_blocktri_memsize(&bd);
    char *route = (char *)vdi_arena_alloc(&a->arena, VDI__MAX(a->bt_size, kalman));
    if (!route) {
        *ok = false;
        return;
    }
    a->route = a->kalman_work = route;
    a->kmp = (double *)(void *)(route + work);
    a->kmf = (double *)(void *)(route + work + means);
    a->kPp = (double *)(void *)(route + work + 2 * means);
    a->kPf = (double *)(void *)(route + work + 2 * means + covs);
}

/* What all bins at once take. */
VDI__FN void vdi__lds_take_whole(vdi_lds_data *a, bool *ok) {
    const size_t rows = vdi_mul_size((size_t)a->trials, (size_t)a->T);
    const size_t means = vdi__lds_means(a), covs = vdi__lds_covariances(a);
    vdi__lds_take_routes(a, ok);
    a->D = vdi__take_reals(&a->arena, covs, ok);
    a->E = vdi__take_reals(&a->arena, covs, ok);
    a->S = vdi__take_reals(&a->arena, covs, ok);
    a->O = vdi__take_reals(&a->arena, covs, ok);
    if (!a->shared_w) a->W = vdi__take_reals(&a->arena, covs, ok);
    a->h = vdi__take_reals(&a->arena, means, ok);
    a->c = vdi__take_reals(&a->arena, means, ok);
    a->yt = vdi__take_reals(&a->arena, vdi_mul_size(rows, (size_t)a->n), ok);
    a->yd = vdi__take_reals(&a->arena, vdi_mul_size(rows, (size_t)a->d), ok);
    a->whole = *ok;
}

/* What a window takes. */
VDI__FN void vdi__lds_take_window(vdi_lds_data *a, bool *ok) {
    vdi__lds_window *w = &a->window;
    const size_t lanes = (size_t)a->lane.count, dd = (size_t)(a->d * a->d);
    const size_t slots = vdi_mul_size((size_t)a->lane.rows, lanes) * (size_t)a->d;
    const size_t bins = (size_t)w->bins, lane_blocks = vdi_mul_size(lanes, dd);
    vdi_blocktri_desc systems = vdi__lds_systems(a);
    w->lengths = vdi__take_ints(&a->arena, lanes, ok);
    systems.T = w->bins + 1;
    systems.lengths = w->lengths;
    w->block_size = *ok ? vdi_blocktri_memsize(&systems) : SIZE_MAX;
    w->block = vdi_arena_alloc(&a->arena, w->block_size);
    if (!w->block) *ok = false;
    w->D = vdi__take_reals(&a->arena, vdi_mul_size(lane_blocks, bins + 1), ok);
    w->E = vdi__take_reals(&a->arena, vdi_mul_size(lane_blocks, bins), ok);
    w->S = vdi__take_reals(&a->arena, vdi_mul_size(lane_blocks, bins + 1), ok);
    w->O = vdi__take_reals(&a->arena, vdi_mul_size(lane_blocks, bins), ok);
    w->h = vdi__take_reals(&a->arena, vdi_mul_size(slots, bins + 1), ok);
    w->carry_D = vdi__take_reals(&a->arena, vdi_mul_size((size_t)w->count, lane_blocks), ok);
    w->carry_h = vdi__take_reals(&a->arena, vdi_mul_size((size_t)w->count, slots), ok);
    w->own_h = vdi__take_reals(&a->arena, vdi_mul_size((size_t)w->count, slots), ok);
    w->behind = vdi__take_reals(&a->arena, lane_blocks, ok);
    w->before = vdi__take_reals(&a->arena, lane_blocks, ok);
    w->root = vdi__take_reals(&a->arena, dd, ok);
    w->logdet = vdi__take_reals(&a->arena, lanes, ok);
}

/* Bins of a window: those asked for, or all, unless their covariances would take too much. A
 * window's arrays are to stay in the cache. */
VDI__FN int64_t vdi__lds_window_of(const vdi_lds_data *a, int64_t asked) {
    const int64_t blocks = a->lane.count * a->d * a->d; /* numbers a bin */
    if (asked > 0) return asked < a->T ? asked : 0;
    if (vdi__lds_covariances(a) <= (size_t)16 << 17) return 0;
    return VDI__MIN(VDI__MAX((int64_t)65536 / blocks, 16), a->T - 1);
}

VDI__FN void vdi__lds_take_posterior(vdi_lds_data *a, int64_t window, bool *ok) {
    const size_t d = (size_t)a->d, lanes = (size_t)a->lane.count;
    a->shared_w = !a->missing;
    if (a->shared_w) a->W = vdi__take_reals(&a->arena, d * d, ok);
    if (!a->diagonal_r) {
        a->W_pattern =
            vdi__take_reals(&a->arena, vdi_mul_size((size_t)a->pattern.count, d * d), ok);
    }
    a->m = vdi__take_reals(&a->arena, vdi__lds_means(a), ok);
    a->ll = vdi__take_reals(&a->arena, (size_t)a->trials, ok);
    a->logdet = vdi__take_reals(&a->arena, lanes, ok);
    a->last = vdi__take_reals(&a->arena, vdi_mul_size(lanes, d * d), ok);
    a->prior = vdi__take_reals(&a->arena, VDI__CHAIN_PRIOR_WORK(d), ok);
    a->ahead_m = vdi__take_reals(&a->arena, d, ok);
    a->ahead_P = vdi__take_reals(&a->arena, d * d, ok);
    a->ahead_AP = vdi__take_reals(&a->arena, d * d + d, ok);
    a->ahead_CP = vdi__take_reals(&a->arena, (size_t)a->n * d, ok);
    a->window.bins = vdi__lds_window_of(a, window);
    if (a->window.bins == 0) {
        vdi__lds_take_whole(a, ok);
        return;
    }
    a->window.count = (a->T - 1) / a->window.bins + 1;
    vdi__lds_take_window(a, ok);
}

VDI__FN void vdi__lds_take_observed(vdi_lds_data *a, bool *ok) {
    const size_t n = (size_t)a->n, d = (size_t)a->d, K = (size_t)(a->d + 1 + a->inputs);
    vdi__lds_observed *o = &a->observed;
    o->shift = vdi__take_reals(&a->arena, VDI__LDS_CHUNK * n, ok);
    o->Y = vdi__take_reals(&a->arena, VDI__LDS_CHUNK * n, ok);
    o->X = vdi__take_reals(&a->arena, VDI__LDS_CHUNK * K, ok);
    o->whole = vdi__take_reals(&a->arena, VDI__LDS_CHUNK * n, ok);
    o->drift = vdi__take_reals(&a->arena, VDI__LDS_CHUNK * d, ok);
    o->squares = vdi__take_reals(&a->arena, n, ok);
    o->rinv = vdi__take_reals(&a->arena, n, ok);
    o->logr = vdi__take_reals(&a->arena, n, ok);
    o->CR = vdi__take_reals(&a->arena, n * d, ok);
    o->minus_CR = vdi__take_reals(&a->arena, n * d, ok);
    if (a->diagonal_r) {
        if (a->missing) o->CC = vdi__take_reals(&a->arena, vdi_mul_size(n, d * d), ok);
        return;
    }
    o->factor = vdi__take_reals(&a->arena, n * n, ok);
    o->gathered = vdi__take_reals(&a->arena, n * n, ok);
    o->seen = vdi__take_ints(&a->arena, n, ok);
    o->lost = vdi__take_ints(&a->arena, n, ok);
}

VDI__FN void vdi__lds_take_sums(vdi_lds_data *a, bool *ok) {
    const size_t n = (size_t)a->n, K = (size_t)(a->d + 1 + a->inputs);
    const size_t dd = (size_t)(a->d * a->d);
    vdi__lds_sums *s = &a->sums;
    vdi__chain_sums_take(&a->chain, a->d, a->inputs, &a->arena, ok);
    vdi__regression_take(&s->g, a->n, (int64_t)K - 1, a->diagonal_r, &a->arena, ok);
    s->K = (int64_t)K;
    s->centre = vdi__take_reals(&a->arena, (size_t)a->d, ok);
    s->yy = vdi__take_reals(&a->arena, a->diagonal_r ? n : n * n, ok);
    s->yx = vdi__take_reals(&a->arena, n * K, ok);
    s->xx = vdi__take_reals(&a->arena, K * K, ok);
    s->expected = vdi__take_reals(&a->arena, n * K, ok);
    a->yy = vdi__take_reals(&a->arena, a->diagonal_r ? n : n * n, ok);
    s->theta = vdi__take_reals(&a->arena, n * (K - 1), ok);
    s->row = vdi__take_reals(&a->arena, VDI__MAX(K, n), ok);
    s->cross = vdi__take_reals(&a->arena, VDI__MAX(K, n), ok);
    if (a->diagonal_r) {
        if (!a->missing) return;
        s->xx_channel = vdi__take_reals(&a->arena, vdi_mul_size(n, K * K), ok);
        s->S_channel = vdi__take_reals(&a->arena, vdi_mul_size(n, dd), ok);
        s->wide = vdi__take_reals(&a->arena, vdi_mul_size(VDI__LDS_CHUNK, K * K), ok);
        return;
    }
    if (a->missing) {
        s->S_pattern = vdi__take_reals(&a->arena, vdi_mul_size((size_t)a->pattern.count, dd), ok);
    }
    s->eigen = vdi__take_reals(&a->arena, 3 * n * n + n, ok);
    s->XX = vdi__take_reals(&a->arena, K * K, ok);
    s->Yx = vdi__take_reals(&a->arena, n * K, ok);
    s->rest = vdi__take_reals(&a->arena, n * K, ok);
    s->Yy = vdi__take_reals(&a->arena, n * n, ok);
    s->gain = vdi__take_reals(&a->arena, n * n, ok);
}

VDI__FN void vdi__lds_take_ties(vdi_lds_data *a, const vdi_lds_ties *ties, bool *ok) {
    const int64_t d = a->d, K = d + a->inputs;
    if (!ties || !*ok) return;
    a->chain.ties = vdi__ties_of(&ties->A, &ties->B, d, d, K, &a->arena, ok);
    if (*ok) a->sums.ties = vdi__ties_of(&ties->C, &ties->D, a->n, d, K, &a->arena, ok);
    if (a->sums.ties) a->sums.tied = vdi__take_reals(&a->arena, (size_t)(a->n * K), ok);
}

VDI__FN void vdi__lds_take_exact(vdi_lds_data *a, bool *ok) {
    vdi__lds_exact_work *e = &a->exact;
    const size_t d = (size_t)a->d, n = (size_t)a->n;
    const size_t bytes = vdi__root_layout(&e->root, a->d, a->n, a->diagonal_r, NULL);
    char *root = (char *)vdi_arena_calloc(&a->arena, bytes);
    e->N = vdi__take_reals(&a->arena, 3 * d * d, ok);
    e->P = vdi__take_reals(&a->arena, d * d, ok);
    e->X = vdi__take_reals(&a->arena, 2 * d * d, ok);
    e->r = vdi__take_reals(&a->arena, vdi_mul_size((size_t)a->lane.rows, d), ok);
    e->scale = vdi__take_reals(&a->arena, VDI__MAX(n, d), ok);
    const size_t noise = vdi_mul_size(n, n);
    const size_t roots = a->diagonal_r ? noise : vdi_add_size(noise, VDI__ROOT_WORK(n));
    e->path = vdi__take_reals(&a->arena, vdi_add_size(VDI__CHAIN_PATH_WORK(d), roots), ok);
    if (root)
        (void)vdi__root_layout(&e->root, a->d, a->n, a->diagonal_r, root);
    else
        *ok = false;
}

VDI__FN void vdi__lds_take_start(vdi_lds_data *a, bool *ok) {
    const int64_t n = a->n, d = a->d, U = a->inputs, own = d + U + 1;
    vdi__lds_start *s = &a->start;
    s->lag = 3;
    s->M = n <= 24 || d > n ? n : d;
    s->K = (s->M + U) * s->lag + U + 1;
    const size_t K = (size_t)VDI__MAX(s->K, own), M = (size_t)VDI__MAX(s->M, d), N = (size_t)n;
    const size_t theta = VDI__MAX(vdi_mul_size(M, K), vdi_mul_size(N, (size_t)own));
    s->V = vdi__take_reals(&a->arena, N * (size_t)d, ok);
    s->xx = vdi__take_reals(&a->arena, vdi_mul_size(K, K), ok);
    s->X = vdi__take_reals(&a->arena, vdi_mul_size(VDI__LDS_CHUNK, K) + M, ok);
    s->yx = vdi__take_reals(&a->arena, theta, ok);
    s->theta = vdi__take_reals(&a->arena, theta, ok);
    s->rest = vdi__take_reals(&a->arena, VDI__MAX(N, M), ok);
    s->mean = vdi__take_reals(&a->arena, VDI__MAX(N, M), ok);
}

/* From here on there are only the trials of this process. */
VDI__FN void vdi__lds_share(vdi_lds_data *a, vdi__series *s, const uint8_t **seen) {
    int64_t from, to;
    vdi_ranks_share(&a->ranks, a->trials, &from, &to);
    a->lengths += from;
    a->y += from * a->T * a->n;
    a->u += from * a->T * a->inputs;
    a->channel_count += from * a->n;
    *seen += from * a->T * a->n;
    a->trials = s->trials = to - from;
}

/* Lanes, patterns and scratch; *ok becomes false where there is no memory. */
VDI__FN void vdi__lds_take(vdi_lds_data *a, const vdi__series *s, const uint8_t *seen,
                           int64_t window, bool *ok) {
    vdi__visibility v;
    v.s = *s;
    v.lengths = a->lengths;
    v.seen = seen;
    v.missing = a->missing;
    *ok = vdi__lanes_find(&a->lane, &v, a->d, &a->arena);
    if (*ok && !a->diagonal_r) *ok = vdi__patterns_find(&a->pattern, &a->lane, &v, &a->arena);
    if (!*ok) return;
    vdi__lds_take_posterior(a, window, ok);
    vdi__lds_take_observed(a, ok);
    vdi__lds_take_sums(a, ok);
    vdi__lds_take_start(a, ok);
    vdi__lds_take_exact(a, ok);
}

VDI__FN vdi_status vdi__lds_no_memory(const vdi__series *s, int64_t d, vdi_error *err) {
    return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds_data_create",
                         "no memory for %lld trials of %lld bins, %lld channels, %lld latents",
                         (long long)s->trials, (long long)s->T, (long long)s->n, (long long)d);
}

/* Memory for the covariances of all bins, where trials go by windows and something needs it. */
VDI__FN vdi_status vdi__lds_whole(vdi_lds_data *a, vdi_error *err) {
    bool ok = true;
    if (!a->whole) vdi__lds_take_whole(a, &ok);
    if (ok) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds",
                         "no memory for the covariances of all of %lld trials of %lld bins, "
                         "%lld latents, at once",
                         (long long)a->trials, (long long)a->T, (long long)a->d);
}

VDI__FN vdi_status vdi__lds_fill(vdi_lds_data *a, vdi__series *s, const vdi_lds_data_desc *desc,
                                 vdi_error *err) {
    const size_t values = vdi__series_values(s, s->n), n = (size_t)s->n;
    uint8_t *all = (uint8_t *)vdi_arena_calloc(&a->arena, values);
    const uint8_t *seen = all;
    bool ok = all != NULL;
    a->lengths = vdi__series_lengths(s, desc->lengths, &a->arena);
    a->y = vdi__take_reals(&a->arena, values, &ok);
    a->y_mean = vdi__take_reals(&a->arena, n, &ok);
    a->variance = vdi__take_reals(&a->arena, n, &ok);
    a->channel_count = vdi__take_reals(&a->arena, vdi_mul_size((size_t)s->trials, n), &ok);
    a->u = vdi__take_reals(&a->arena, vdi__series_values(s, VDI__MAX(a->inputs, 1)), &ok);
    if (!ok || !a->lengths) return vdi__lds_no_memory(s, a->d, err);
    const vdi_status status = vdi__lds_read(a, desc, all, err);
    if (status < 0) return status;
    vdi__lds_centre(a, seen);
    vdi__lds_share(a, s, &seen);
    vdi__lds_take(a, s, seen, desc->window, &ok);
    vdi__lds_take_ties(a, a->ties, &ok);
    if (!ok) return vdi__lds_no_memory(s, a->d, err);
    vdi__lds_sum_squares(a);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_lds_data_create(const vdi_lds *lds, const vdi_lds_data_desc *desc,
                                        vdi_lds_data **out, vdi_error *err) {
    const vdi_lds_desc *k = &lds->desc;
    vdi__series s;
    vdi_arena arena;
    *out = NULL;
    vdi_status status = vdi__lds_data_check(k, desc, &s, err);
    if (status < 0) return status;
    vdi_arena_init(&arena, &desc->allocator, 0);
    vdi_lds_data *a = (vdi_lds_data *)vdi_arena_calloc(&arena, sizeof *a);
    if (!a) return vdi__lds_no_memory(&s, k->d, err);
    a->arena = arena;
    a->pool = desc->pool;
    a->ranks = desc->ranks;
    a->trials = s.trials;
    a->T = s.T;
    a->n = s.n;
    a->d = k->d;
    a->inputs = k->inputs;
    a->diagonal_r = k->diagonal_r;
    a->ties = k->ties;
    status = vdi__lds_fill(a, &s, desc, err);
    if (status < 0)
        vdi_lds_data_destroy(a);
    else
        *out = a;
    return status;
}
#endif
