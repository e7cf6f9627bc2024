/* model/plds/data.h - the internal form of the counts, and the scratch memory of all steps;
 * declared in plds.h
 *
 * Counts are float64; a count that is missing, or behind a trial's end, is 0 and has a log exposure
 * of -1e300: its rate is exactly 0, and it enters nothing.
 */
#ifndef VDI_MODEL_PLDS_DATA_H
#define VDI_MODEL_PLDS_DATA_H
#include "../../linalg/blocktri.h"
#include "plds.h"

#endif /* VDI_MODEL_PLDS_DATA_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_DATA_C)
#define VDI_MODEL_PLDS_DATA_C

/* Trials per group: the lanes of the solver in float64. */
#define VDI__PLDS_GROUP 8
/* The log exposure of a count that is missing. */
#define VDI__PLDS_NEVER (-1e300)
/* How many tensors make the state of the data. */
#define VDI__PLDS_STATE 8
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

/* Scratch of the M-step for one neuron (em.h): D = d + 1 numbers w = (c, b). */
typedef struct vdi__plds_newton {
    double *H;                /* (D,D), of which the lower triangle counts */
    double *w, *old, *dx, *g; /* (D): the read-out, the one before, step, gradient */
    double *G, *LG, *rate;    /* (d,CHUNK), (CHUNK), (CHUNK) */
} vdi__plds_newton;

typedef struct vdi__plds_worker {
    vdi__plds_q now, next;
    double *yC, *feature, *rate, *rows;
    vdi__plds_readout readout; /* own copy, for leaving a neuron out */
    double *first, *first_h;   /* (GROUP,d,d), (GROUP,d) */
    double *m, *S;             /* (d), (d,d): of a bin that is predicted */
    double *work;              /* 2 d d + d */
    vdi__plds_newton newton;
    void *bt_mem;
    vdi_status status;
    vdi_error err;
} vdi__plds_worker;

struct vdi_plds_data {
    vdi_arena arena; /* all of it, this object too */
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
    int64_t warm;  /* 1: `q` holds a posterior */
    vdi__plds_q q; /* of all trials */
    vdi_named_tensor tensors[VDI__PLDS_STATE];
    vdi_state state; /* what vdi_plds_data_state shows */
    vdi__plds_readout readout;
    vdi__plds_worker *worker;
    size_t bt_size;
    double *prior_work;
    /* M-step: one column per bin inside the lengths, so that the lanes run over bins */
    double *mt, *st, *offset_t; /* (d,rows), (d(d+1)/2,rows), (n,rows) or NULL */
    double *moment;             /* (n,d): sum of y m' */
    vdi__chain_sums chain;
};

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
VDI__DEF void vdi_plds_data_reset(vdi_plds_data *data) { data->warm = 0; }

VDI__DEF const vdi_state *vdi_plds_data_state(vdi_plds_data *data) { return &data->state; }

/* Bounds and sites are left out: a search begins by computing them. */
VDI__FN void vdi__plds_name_state(vdi_plds_data *a) {
    static const char *const name[VDI__PLDS_STATE] = {
        "posterior.D", "posterior.E", "posterior.k",      "posterior.m",
        "posterior.S", "posterior.O", "posterior.logdet", "posterior.warm"};
    const int64_t d = a->d;
    const int64_t square[4] = {a->trials, a->T, d, d}, lag[4] = {a->trials, a->T - 1, d, d};
    vdi_named_tensor *to = a->tensors;
    for (int i = 0; i < VDI__PLDS_STATE; i++)
        to[i].name = name[i];
    to[0].tensor = vdi_tensor_view(a->q.D, VDI_F64, 4, square);
    to[1].tensor = vdi_tensor_view(a->q.E, VDI_F64, 4, lag);
    to[2].tensor = vdi_tensor_3d(a->q.k, VDI_F64, a->trials, a->T, d);
    to[3].tensor = vdi_tensor_3d(a->q.m, VDI_F64, a->trials, a->T, d);
    to[4].tensor = vdi_tensor_view(a->q.S, VDI_F64, 4, square);
    to[5].tensor = vdi_tensor_view(a->q.O, VDI_F64, 4, lag);
    to[6].tensor = vdi_tensor_1d(a->q.logdet, VDI_F64, a->trials);
    to[7].tensor = vdi_tensor_1d(&a->warm, VDI_I64, 1);
    a->state.tensors = to;
    a->state.tensor_count = VDI__PLDS_STATE;
}

/* Is this data of that model? */
VDI__FN vdi_status vdi__plds_fits(const vdi_plds *p, const vdi_plds_data *a, const char *where,
                                  vdi_error *err) {
    if (p->desc.d == a->d && p->desc.n == a->n) return VDI_OK;
    return vdi_error_set(
        err, VDI_ERR_SHAPE, where, "data were made for d %lld, n %lld, the model has %lld, %lld",
        (long long)a->d, (long long)a->n, (long long)p->desc.d, (long long)p->desc.n);
}

/* ---- taking in ------------------------------------------------------------------------------- */

static const vdi_field vdi__plds_data_fields[] = {
    VDI_FIELD_REAL(vdi_plds_data_desc, width, 1, 0, 1e300,
                   "bin width: the read-out gives rates per unit of it"),
};

VDI__DEF const vdi_fields *vdi_plds_data_desc_fields(void) {
    static const vdi_fields fields = {"vdi_plds_data_desc", vdi__plds_data_fields,
                                      VDI__COUNT(vdi__plds_data_fields)};
    return &fields;
}

VDI__FN vdi_status vdi__plds_data_check(const vdi_plds_desc *model, const vdi_plds_data_desc *desc,
                                        vdi__series *s, vdi_error *err) {
    static const char where[] = "vdi_plds_data_desc";
    vdi_status status = vdi__series_of(desc->y, model->n, where, s, err);
    if (status == VDI_OK && desc->offset.data)
        status = vdi__series_check_offset(s, desc->offset, where, err);
    if (status == VDI_OK) status = vdi_fields_check(vdi_plds_data_desc_fields(), desc, err);
    if (status == VDI_OK) status = vdi__series_check_lengths(s, desc->lengths, 0, where, err);
    return status;
}

VDI__DEF vdi_status vdi_plds_data_desc_check(const vdi_plds *plds, const vdi_plds_data_desc *desc,
                                             vdi_error *err) {
    vdi__series s;
    return vdi__plds_data_check(&plds->desc, desc, &s, err);
}

/* Neuron j of a bin: is its count there? The sums take it up; a missing one becomes 0. */
VDI__FN bool vdi__plds_read_count(vdi_plds_data *a, int64_t trial, int64_t j, bool inside,
                                  double *y, double *offset) {
    if (!inside || !(*y == *y)) {
        *y = 0;
        *offset = VDI__PLDS_NEVER;
        return false;
    }
    double log_factorial = *y + 1;
    if (*y > 1) vdi_lgamma(VDI_F64, 1, &log_factorial, &log_factorial);
    a->total[j] += *y;
    a->seen[j] += 1;
    a->log_y[trial] += *y * *offset - (*y > 1 ? log_factorial : 0);
    return true;
}

/* Bin t of trial i; returns how many counts are there, or -1. */
VDI__FN int64_t vdi__plds_read_bin(vdi_plds_data *a, int64_t i, int64_t t, bool *missing,
                                   vdi_error *err) {
    static const char where[] = "vdi_plds_data_create";
    double *y = a->y + (i * a->T + t) * a->n, *offset = a->offset + (i * a->T + t) * a->n;
    const bool inside = t < a->lengths[i];
    int64_t count = 0;
    for (int64_t j = 0; j < a->n; j++) {
        if (inside && y[j] == y[j] && (!(y[j] >= 0 && y[j] < 1e9) || y[j] != floor(y[j]))) {
            (void)vdi_error_set(err, VDI_ERR_DATA, where,
                                "y[%lld,%lld,%lld] is %g, expected a count (whole, 0 to 1e9; NaN "
                                "if missing)",
                                (long long)i, (long long)t, (long long)j, y[j]);
            return -1;
        }
        if (inside && !vdi__is_finite(offset[j])) {
            (void)vdi_error_set(err, VDI_ERR_DATA, where,
                                "offset[%lld,%lld,%lld] is %g, expected a finite number",
                                (long long)i, (long long)t, (long long)j, offset[j]);
            return -1;
        }
        const bool there = vdi__plds_read_count(a, i, j, inside, y + j, offset + j);
        if (inside && !there) *missing = true;
        count += there;
    }
    return count;
}

VDI__FN vdi_status vdi__plds_read(vdi_plds_data *a, const vdi__series *s,
                                  const vdi_plds_data_desc *desc, vdi_error *err) {
    const int64_t B = a->trials, T = a->T;
    bool missing = false;
    vdi_status status =
        vdi_tensor_copy(vdi_tensor_3d(a->y, VDI_F64, B, T, a->n), vdi__series_view(desc->y), err);
    if (status == VDI_OK && desc->offset.data) {
        status = vdi_tensor_copy(vdi_tensor_3d(a->offset, VDI_F64, B, T, a->n),
                                 vdi__series_broadcast(s, desc->offset), err);
    }
    if (status < 0) return status;
    for (int64_t r = 0; r < B * T; r++) {
        const int64_t count = vdi__plds_read_bin(a, r / T, r % T, &missing, err);
        if (count < 0) return VDI_ERR_DATA;
        a->observed_bins += count > 0;
    }
    for (int64_t i = 0; i < B; i++)
        a->rows += a->lengths[i];
    if (a->observed_bins == 0) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_plds_data_create",
                             "y holds no count: %lld trials of %lld bins, all missing",
                             (long long)B, (long long)T);
    }
    if (!missing && !desc->offset.data) {
        a->spare = a->offset;
        a->offset = NULL;
    }
    return VDI_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

VDI__FN void vdi__plds_take_q(vdi_plds_data *a, vdi__plds_q *q, size_t trials, bool *ok) {
    const size_t d = (size_t)a->d, bins = vdi_mul_size(trials, (size_t)a->T);
    q->D = vdi__take_reals(&a->arena, vdi_mul_size(bins, d * d), ok);
    q->E = vdi__take_reals(&a->arena, vdi_mul_size(bins, d * d), ok);
    q->S = vdi__take_reals(&a->arena, vdi_mul_size(bins, d * d), ok);
    q->O = vdi__take_reals(&a->arena, vdi_mul_size(bins, d * d), ok);
    q->k = vdi__take_reals(&a->arena, vdi_mul_size(bins, d), ok);
    q->m = vdi__take_reals(&a->arena, vdi_mul_size(bins, d), ok);
    q->site = vdi__take_reals(&a->arena, vdi_mul_size(bins, (size_t)a->K), ok);
    q->logdet = vdi__take_reals(&a->arena, trials, ok);
    q->elbo = vdi__take_reals(&a->arena, trials, ok);
}

VDI__FN void vdi__plds_take_readout(vdi_plds_data *a, vdi__plds_readout *r, bool *ok) {
    r->in = vdi__take_reals(&a->arena, vdi_mul_size((size_t)a->K, (size_t)a->n), ok);
    r->out = vdi__take_reals(&a->arena, vdi_mul_size((size_t)a->K, (size_t)a->n), ok);
    r->b = vdi__take_reals(&a->arena, (size_t)a->n, ok);
}

VDI__FN void vdi__plds_take_newton(vdi_plds_data *a, vdi__plds_newton *k, bool *ok) {
    const size_t d = (size_t)a->d, D = d + 1;
    k->H = vdi__take_reals(&a->arena, D * D, ok);
    k->w = vdi__take_reals(&a->arena, D, ok);
    k->old = vdi__take_reals(&a->arena, D, ok);
    k->dx = vdi__take_reals(&a->arena, D, ok);
    k->g = vdi__take_reals(&a->arena, D, ok);
    k->G = vdi__take_reals(&a->arena, d * VDI__PLDS_CHUNK, ok);
    k->LG = vdi__take_reals(&a->arena, VDI__PLDS_CHUNK, ok);
    k->rate = vdi__take_reals(&a->arena, VDI__PLDS_CHUNK, ok);
}

VDI__FN void vdi__plds_take_worker(vdi_plds_data *a, vdi__plds_worker *k, bool *ok) {
    const size_t d = (size_t)a->d, n = (size_t)a->n, T = (size_t)a->T, G = VDI__PLDS_GROUP;
    vdi__plds_take_q(a, &k->now, G, ok);
    vdi__plds_take_q(a, &k->next, G, ok);
    vdi__plds_take_readout(a, &k->readout, ok);
    vdi__plds_take_newton(a, &k->newton, ok);
    k->yC = vdi__take_reals(&a->arena, vdi_mul_size(G * d, T), ok);
    k->feature = vdi__take_reals(&a->arena, vdi_mul_size((size_t)a->K, T), ok);
    k->rate = vdi__take_reals(&a->arena, vdi_mul_size(n, T), ok);
    k->rows = vdi__take_reals(&a->arena, vdi_mul_size(n, T), ok);
    k->first = vdi__take_reals(&a->arena, G * d * d, ok);
    k->first_h = vdi__take_reals(&a->arena, G * d, ok);
    k->m = vdi__take_reals(&a->arena, d, ok);
    k->S = vdi__take_reals(&a->arena, d * d, ok);
    k->work = vdi__take_reals(&a->arena, 2 * d * d + d, ok);
    k->bt_mem = vdi_arena_alloc(&a->arena, a->bt_size);
    if (!k->bt_mem) *ok = false;
}

/* Bytes of the solver for a group of eight, and for one of fewer, which may be laid out in another
 * way. */
VDI__FN size_t vdi__plds_solver_size(const vdi_plds_data *a) {
    vdi_blocktri_desc bd = VDI__ZERO;
    size_t most = 0;
    bd.dtype = VDI_F64;
    bd.T = a->T;
    bd.d = a->d;
    bd.lengths = a->lengths;
    for (bd.trials = 1; bd.trials <= VDI__PLDS_GROUP; bd.trials++)
        most = VDI__MAX(most, vdi_blocktri_memsize(&bd));
    return most;
}

VDI__FN void vdi__plds_take(vdi_plds_data *a, bool *ok) {
    const size_t d = (size_t)a->d, n = (size_t)a->n, K = (size_t)a->K, rows = (size_t)a->rows;
    const size_t values = vdi_mul_size(vdi_mul_size((size_t)a->trials, (size_t)a->T), n);
    const int workers = vdi_pool_threads(a->pool);
    a->bt_size = vdi__plds_solver_size(a);
    a->groups = (a->trials + VDI__PLDS_GROUP - 1) / VDI__PLDS_GROUP;
    vdi__plds_take_q(a, &a->q, (size_t)a->trials, ok);
    vdi__plds_take_readout(a, &a->readout, ok);
    vdi__chain_sums_take(&a->chain, a->d, 0, &a->arena, ok);
    a->prior_work = vdi__take_reals(&a->arena, VDI__CHAIN_PRIOR_WORK(d), ok);
    a->mt = vdi__take_reals(&a->arena, vdi_mul_size(rows, d), ok);
    a->st = vdi__take_reals(&a->arena, vdi_mul_size(rows, K - d), ok);
    if (a->offset) a->offset_t = vdi__take_reals(&a->arena, vdi_mul_size(rows, n), ok);
    a->moment = vdi__take_reals(&a->arena, n * d, ok);
    if (!a->spare) a->spare = vdi__take_reals(&a->arena, values, ok);
    a->worker =
        (vdi__plds_worker *)vdi_arena_calloc(&a->arena, (size_t)workers * sizeof *a->worker);
    if (!a->worker) *ok = false;
    for (int w = 0; a->worker && w < workers; w++)
        vdi__plds_take_worker(a, &a->worker[w], ok);
}

VDI__FN void vdi__plds_transpose_offset(vdi_plds_data *a) {
    for (int64_t i = 0, r = 0; a->offset_t && i < a->trials; i++) {
        for (int64_t t = 0; t < a->lengths[i]; t++, r++) {
            for (int64_t j = 0; j < a->n; j++)
                a->offset_t[j * a->rows + r] = a->offset[(i * a->T + t) * a->n + j];
        }
    }
}

VDI__FN vdi_status vdi__plds_no_memory(const vdi__series *s, int64_t d, vdi_error *err) {
    return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_plds_data_create",
                         "no memory for %lld trials of %lld bins, %lld neurons, %lld latents",
                         (long long)s->trials, (long long)s->T, (long long)s->n, (long long)d);
}

VDI__FN vdi_status vdi__plds_fill(vdi_plds_data *a, const vdi__series *s,
                                  const vdi_plds_data_desc *desc, vdi_error *err) {
    const size_t values = vdi__series_values(s, s->n), n = (size_t)s->n;
    bool ok = true;
    a->lengths = vdi__series_lengths(s, desc->lengths, &a->arena);
    a->y = vdi__take_reals(&a->arena, values, &ok);
    a->offset = vdi__take_reals(&a->arena, values, &ok);
    a->seen = vdi__take_reals(&a->arena, n, &ok);
    a->total = vdi__take_reals(&a->arena, n, &ok);
    a->log_y = vdi__take_reals(&a->arena, (size_t)s->trials, &ok);
    if (!ok || !a->lengths) return vdi__plds_no_memory(s, a->d, err);
    const vdi_status status = vdi__plds_read(a, s, desc, err);
    if (status < 0) return status;
    vdi__plds_take(a, &ok);
    if (!ok) return vdi__plds_no_memory(s, a->d, err);
    vdi__plds_name_state(a);
    vdi__plds_transpose_offset(a);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_plds_data_create(const vdi_plds *plds, const vdi_plds_data_desc *desc,
                                         vdi_plds_data **out, vdi_error *err) {
    vdi_plds_data_desc filled = *desc;
    vdi__series s;
    vdi_arena arena;
    *out = NULL;
    vdi_fields_fill(vdi_plds_data_desc_fields(), &filled);
    vdi_status status = vdi__plds_data_check(&plds->desc, &filled, &s, err);
    if (status < 0) return status;
    vdi_arena_init(&arena, &desc->allocator, 0);
    vdi_plds_data *a = (vdi_plds_data *)vdi_arena_calloc(&arena, sizeof *a);
    if (!a) return vdi__plds_no_memory(&s, plds->desc.d, err);
    a->arena = arena;
    a->pool = desc->pool;
    a->trials = s.trials;
    a->T = s.T;
    a->n = s.n;
    a->d = plds->desc.d;
    a->K = a->d + a->d * (a->d + 1) / 2;
    a->log_width = log(filled.width);
    status = vdi__plds_fill(a, &s, &filled, err);
    if (status < 0)
        vdi_plds_data_destroy(a);
    else
        *out = a;
    return status;
}
#endif
