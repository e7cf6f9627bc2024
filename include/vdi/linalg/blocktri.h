/* linalg/blocktri.h - symmetric positive definite block-tridiagonal matrices: the precision of a
 * Gaussian over time
 *
 * Do this:
 *     vdi_blocktri_desc desc = {0};
 *     desc.dtype = VDI_F64;
 *     desc.trials = B;
 *     desc.T = T;
 *     desc.d = d;
 *     void *mem = malloc(vdi_blocktri_memsize(&desc));
 *     vdi_blocktri bt;
 *     vdi_blocktri_init(&bt, &desc, mem, size, &err);
 *     if (vdi_blocktri_factor(&bt, D, E, &err) < 0)
 *         puts(err.message);   "trial 3, block 17: not positive definite"
 *     vdi_blocktri_solve(&bt, 1, h, x);      J x = h
 *     vdi_blocktri_sample(&bt, 1, eps, z);   z = L^{-T} eps, covariance J^{-1}
 *     vdi_blocktri_marginals(&bt, S, O);     the blocks of J^{-1} on and under the diagonal
 *
 * For each of B trials J is (T d)x(T d) with diagonal blocks D_t (symmetric; both triangles are
 * given, the lower one is read) and sub-diagonal blocks E_t = J_{t+1,t}. Arrays are packed,
 * row-major: D (B,T,d,d), E (B,T-1,d,d), vectors (S,B,T,d) with S the number of right-hand sides.
 * J = L L': L_1 = chol D_1, M_t = E_t L_t^{-T}, L_{t+1} = chol(D_{t+1} - M_t M_t').
 * Ragged trials: `lengths` (B) says how many blocks of each trial are valid; the ones after them
 * are not read, and are written as 0. Everything is O(T d^3) and allocates nothing after init.
 *
 * How it runs: up to d = 24 and with enough trials one trial per SIMD lane; otherwise trial after
 * trial along the rows of its blocks, with the elimination's chain of pivots kept in registers up
 * to d = 8 and register tiles inside the block above. The choice depends on dtype, trials and d
 * alone: on one SIMD path the bits of a trial do not depend on threads, on its neighbours or on its
 * lane.
 *
 * Errors: a block that is not positive definite (or not finite) gives VDI_ERR_NOT_POSITIVE_DEFINITE
 * naming trial and block; the factor is then unusable until the next successful factor call, and
 * every result from it is NaN (adjoints add nothing). Threads: one object per thread, or desc.pool.
 * What it does not do: pivoting, indefinite matrices, blocks of different size.
 */
#ifndef VDI_LINALG_BLOCKTRI_H
#define VDI_LINALG_BLOCKTRI_H
#include "../core/pool.h"
#include "view.h"

/** Shape of a batch of block-tridiagonal systems. */
typedef struct vdi_blocktri_desc {
    vdi_dtype dtype;        /**< VDI_F32 or VDI_F64 */
    int64_t trials;         /**< B >= 1 */
    int64_t T;              /**< blocks per trial, >= 1 */
    int64_t d;              /**< block size, >= 1 */
    const int64_t *lengths; /**< (B), each 0..T; NULL: all T. Read at init, not kept */
    vdi_pool *pool;         /**< NULL: the caller's thread alone. Split by groups of trials */
} vdi_blocktri_desc;

/** A factorised batch: a handle into the caller's block. Treat the members as private. */
typedef struct vdi_blocktri {
    vdi_dtype dtype;
    int32_t method; /* how it runs */
    int64_t trials, T, d, groups;
    int64_t *lengths;     /* (B) in the block, or NULL if all are T */
    void *factor;         /* in the method's own layout */
    void *work;           /* scratch, per worker */
    unsigned char *flags; /* (groups) 1 where the factor failed */
    size_t worker_size, adjoint_size;
    vdi_pool *pool;
    bool factored;
} vdi_blocktri;

/** Bytes that the systems need; SIZE_MAX if the description is out of range. */
VDI_API size_t vdi_blocktri_memsize(const vdi_blocktri_desc *desc);
/** Set up inside the caller's block of at least vdi_blocktri_memsize bytes (any alignment). */
VDI_API VDI_NODISCARD vdi_status vdi_blocktri_init(vdi_blocktri *bt, const vdi_blocktri_desc *desc,
                                                   void *mem, size_t size, vdi_error *err);
/** Factorise: D (B,T,d,d), E (B,T-1,d,d) (NULL where T is 1). */
VDI_API VDI_NODISCARD vdi_status vdi_blocktri_factor(vdi_blocktri *bt, const void *D, const void *E,
                                                     vdi_error *err);
/** log det J per trial, out (B). */
VDI_API void vdi_blocktri_logdet(const vdi_blocktri *bt, void *out);
/** x = J^{-1} h, both (nrhs,B,T,d); x may be h. */
VDI_API void vdi_blocktri_solve(const vdi_blocktri *bt, int64_t nrhs, const void *h, void *x);
/** x = L^{-1} h (half a solve: whitening). */
VDI_API void vdi_blocktri_solve_lower(const vdi_blocktri *bt, int64_t nrhs, const void *h, void *x);
/** z = L^{-T} eps, both (nrhs,B,T,d); z may be eps. With eps ~ N(0,I), z ~ N(0,J^{-1}). */
VDI_API void vdi_blocktri_sample(const vdi_blocktri *bt, int64_t nrhs, const void *eps, void *z);
/** S (B,T,d,d) = Cov(z_t), O (B,T-1,d,d) = Cov(z_{t+1}, z_t): the blocks of J^{-1}. O may be
 * NULL. */
VDI_API void vdi_blocktri_marginals(const vdi_blocktri *bt, void *S, void *O);
/** The Cholesky blocks themselves: L (B,T,d,d) lower with positive diagonals, M (B,T-1,d,d). Either
 * may be NULL. */
VDI_API void vdi_blocktri_get_factor(const vdi_blocktri *bt, void *L, void *M);
/** y = J x, both (nrhs,B,T,d), from the blocks themselves (of D both triangles are read); y may not
 * be x. Needs no factor. */
VDI_API void vdi_blocktri_matvec(const vdi_blocktri *bt, const void *D, const void *E, int64_t nrhs,
                                 const void *x, void *y);

/* ---- private: requests to the kernels ----------------------------------------------------------
 * Strides are in reals. With rows, a matrix has its columns next to each other; with lanes, an
 * element is a vector over the trials of a group, 64 bytes.
 */

/* out = C - A B (m,n), or T^{-1} (C - A B) with a unit lower triangle T; k is the inner dimension.
 * NULL: C is 0, there is no factor `pre` for each row of C, no T, no `scaled`, which receives out
 * with each row times `post`. pre and post are columns. */
typedef struct vdi__bt_op {
    bool rows, padded; /* padded: where `out` and what is read have space for whole vectors */
    int64_t m, n, k;
    const vdi__matrix *c, *pre, *a, *b, *tri, *post;
    const vdi__target *out, *scaled;
} vdi__bt_op;

/* Blocks t0..t1 of T; in rows all. L and N: blocks of U' and N' (blocktri_group.h); g: scratch, of
 * lanes two blocks that are kept from call to call. */
typedef struct vdi__bt_factor {
    bool rows;
    int64_t d, T, t0, t1;
    const void *D, *E; /* rows: the trial's own */
    void *L, *N, *g;
} vdi__bt_factor;

/* Work on every element; those up to VDI__BT_TWO take two matrices. */
typedef enum vdi__bt_kind {
    VDI__BT_SUM,          /* scale (x + y) */
    VDI__BT_PRODUCT,      /* x y */
    VDI__BT_ROOT_ROWS,    /* x sqrt(y) */
    VDI__BT_ROOT_DIVIDE,  /* x / sqrt(y) */
    VDI__BT_ROOT_COLUMNS, /* Cholesky's L' from U' */
    VDI__BT_TWO = VDI__BT_ROOT_COLUMNS,
    VDI__BT_SCALE, /* scale x */
    VDI__BT_UNIT,  /* a clean unit lower triangle */
    VDI__BT_HALF   /* upper triangle with half the diagonal */
} vdi__bt_kind;

/* Reals from row to row in the scratch of a factor in rows: an odd number of cache lines, so that
 * a column's rows spread over all sets of the cache, and at least 3 reals behind the row, which
 * whole vectors reach on paths without masks. */
#define VDI__BT_LD(d, lanes) ((((d) + (lanes) + 2) / (lanes) | 1) * (lanes))

/* X(name, whose, result, (arguments)); see kernel/table.h */
#define VDI__LINALG_KERNELS_BLOCKTRI(X)                                                            \
    X(blocktri_op, OWN, void, (const vdi__bt_op *o))                                               \
    X(blocktri_pivots, OWN, bool, (const vdi__bt_op *o))                                           \
    X(blocktri_chain, OWN, int, (const vdi__bt_factor *f))                                         \
    X(blocktri_marginals, LENT, bool,                                                              \
      (int64_t d, int64_t T, const void *L, const void *N, void *S, void *O))                      \
    X(blocktri_logs, OWN, void, (const void *L, int64_t d, int64_t T, double *sums))               \
    X(blocktri_pack, LENT, void,                                                                   \
      (const void *src, int64_t stride, const int64_t *count, int64_t n, void *dst))               \
    X(blocktri_unpack, LENT, void,                                                                 \
      (const void *src, int64_t n, void *dst, int64_t stride, const int64_t *count, int64_t used,  \
       double scale))                                                                              \
    X(blocktri_transpose, LENT, void,                                                              \
      (int64_t count, int64_t d, bool lower, const void *src, void *dst))                          \
    X(blocktri_forward, LENT, void, (int64_t d, int64_t T, const void *L, const void *N, void *y)) \
    X(blocktri_backward, LENT, void,                                                               \
      (bool roots, int64_t d, int64_t T, const void *L, const void *N, void *y))                   \
    X(blocktri_add, LENT, void, (int64_t n, double scale, const void *src, void *dst))             \
    X(blocktri_matvec, OWN, void,                                                                  \
      (int64_t d, int64_t T, const void *D, const void *E, const void *x, void *y))                \
    X(blocktri_root, LENT, void, (bool rows, int64_t d, const void *src, int64_t step, void *dst)) \
    X(blocktri_map, OWN, void,                                                                     \
      (vdi__bt_kind kind, bool rows, int64_t d, const vdi__matrix *x, const vdi__matrix *y,        \
       double scale, void *out))

#endif /* VDI_LINALG_BLOCKTRI_H */

#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_LINALG_BLOCKTRI_C)
#define VDI_LINALG_BLOCKTRI_C

/* ---- sizes and setting up -------------------------------------------------------------------- */

/* Row by row where lanes would run nearly empty, or where blocks are so large that lanes gain
   nothing and leave the cache (measured; docs/guide/blocktri.md). Only the description decides, so
   that the bits depend on nothing else. */
VDI__FN bool vdi__bt_by_rows(vdi_dtype dtype, int64_t trials, int64_t d) {
    const int64_t lanes = vdi__bt_lanes(dtype);
    if (d <= 4) return trials <= lanes / 4;
    if (d <= 16) return trials < lanes / 2;
    return d > 24 || trials < lanes;
}

typedef struct vdi__bt_sizes {
    size_t factor, worker, worker_stride, lengths, flags, total; /* bytes */
    size_t adjoint;                                              /* per worker */
    int64_t groups;
    bool rows;
} vdi__bt_sizes;

VDI__FN bool vdi__bt_measure(const vdi_blocktri_desc *desc, vdi__bt_sizes *s) {
    memset(s, 0, sizeof *s);
    if (!desc || !vdi_dtype_is_real(desc->dtype) || desc->trials < 1 || desc->T < 1 ||
        desc->d < 1 || desc->d > 1 << 20)
        return false;
    /* a size_t of 32 bits would cut them */
    if ((int64_t)(size_t)desc->trials != desc->trials || (int64_t)(size_t)desc->T != desc->T)
        return false;
    const size_t real = vdi_dtype_size(desc->dtype);
    const size_t d = (size_t)desc->d;
    const size_t dd = d * d;
    const size_t workers = (size_t)vdi_pool_threads(desc->pool);
    const int64_t lanes = vdi__bt_lanes(desc->dtype);
    s->rows = vdi__bt_by_rows(desc->dtype, desc->trials, desc->d);
    s->groups = s->rows ? desc->trials : desc->trials / lanes + (desc->trials % lanes != 0);
    const size_t unit = s->rows ? real : 64;
    /* of one group */
    const size_t blocks = vdi_mul_size(vdi_mul_size((size_t)desc->T, 2 * dd), unit);
    const size_t vec = vdi_mul_size((size_t)desc->T, d * 64);
    s->factor = vdi_align_size(vdi_mul_size(blocks, (size_t)s->groups));
    const size_t blocks16 = vdi_mul_size(VDI__BT_BLOCKS * dd + d, unit);
    const size_t front = 5 * d * (size_t)VDI__BT_LD(desc->d, lanes) * real;
    s->worker = vdi_align_size(vdi_add_size(VDI__MAX(blocks16, front), vec));
    s->adjoint = vdi_align_size(vdi_add_size(blocks, vdi_mul_size(2, vec)));
    s->lengths =
        desc->lengths ? vdi_align_size(vdi_mul_size((size_t)desc->trials, sizeof(int64_t))) : 0;
    s->flags = vdi_align_size((size_t)s->groups);
    s->total = vdi_add_size(vdi_add_size(s->factor, vdi_mul_size(s->worker, workers)),
                            vdi_add_size(s->lengths, s->flags));
    s->total = vdi_add_size(s->total, VDI_ALIGN);
    return s->total != SIZE_MAX && s->total < SIZE_MAX / 2;
}

VDI__DEF size_t vdi_blocktri_memsize(const vdi_blocktri_desc *desc) {
    vdi__bt_sizes s;
    return vdi__bt_measure(desc, &s) ? s.total : SIZE_MAX;
}

VDI__DEF vdi_status vdi_blocktri_init(vdi_blocktri *bt, const vdi_blocktri_desc *desc, void *mem,
                                      size_t size, vdi_error *err) {
    static const char where[] = "vdi_blocktri_init";
    vdi__bt_sizes s;
    if (!bt || !desc)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%s is NULL", bt ? "desc" : "bt");
    memset(bt, 0, sizeof *bt);
    if (vdi_arithmetic_check(err) < 0) return VDI_ERR_UNSUPPORTED;
    if (!vdi_dtype_is_real(desc->dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where, "dtype is %s, expected float32 or float64",
                             vdi_dtype_name(desc->dtype));
    }
    if (!vdi__bt_measure(desc, &s)) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, where,
            "trials %lld, T %lld, d %lld: each must be at least 1, and all must fit into memory",
            (long long)desc->trials, (long long)desc->T, (long long)desc->d);
    }
    for (int64_t b = 0; desc->lengths && b < desc->trials; b++) {
        if (desc->lengths[b] < 0 || desc->lengths[b] > desc->T) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "lengths[%lld] is %lld, expected 0 to T = %lld", (long long)b,
                                 (long long)desc->lengths[b], (long long)desc->T);
        }
    }
    if (!mem || size < s.total) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "the block has %zu bytes, %zu are needed",
                             mem ? size : (size_t)0, s.total);
    }
    char *p = (char *)mem + (VDI_ALIGN - (uintptr_t)mem % VDI_ALIGN) % VDI_ALIGN;
    bt->dtype = desc->dtype;
    bt->method = s.rows;
    bt->trials = desc->trials;
    bt->T = desc->T;
    bt->d = desc->d;
    bt->groups = s.groups;
    bt->pool = desc->pool;
    bt->factor = p;
    bt->work = p + s.factor;
    bt->flags = (unsigned char *)p + s.factor + s.worker * (size_t)vdi_pool_threads(desc->pool);
    bt->worker_size = s.worker;
    bt->adjoint_size = s.adjoint;
    if (desc->lengths) {
        bt->lengths = (int64_t *)(void *)(bt->flags + s.flags);
        memcpy(bt->lengths, desc->lengths, (size_t)desc->trials * sizeof(int64_t));
    }
    return VDI_OK;
}

/* ---- factor ---------------------------------------------------------------------------------- */

/* Lanes: blocks f->t0 .. f->t1 row by row of the blocks: from S_t, what is left of D_t, to U'
 * and 1/p, and from E_t' to N'. */
VDI__FN bool vdi__bt_factor_blocks(const vdi__bt *g, const vdi__bt_factor *f) {
    const size_t block = (size_t)g->dd * g->unit;
    const int64_t row = g->row, column = g->column;
    char *gl = (char *)f->g, *gn = gl + block;
    bool good = true;
    const vdi__target to_l = {gl, row, column}, to_n = {gn, row, column};
    const vdi__matrix a = {gn, column, row};
    for (int64_t t = f->t0; t < f->t1; t++) {
        char *L = vdi__bt_block(g, g->L, t), *N = vdi__bt_block(g, g->N, t);
        const vdi__matrix S = {L, row, column}, E = {N, row, column}, U = {L, column, row};
        const vdi__matrix before = {t > 0 ? N - block : N, row, column};
        const vdi__matrix pivots = {L, (g->d + 1) * g->lanes, 0};
        const vdi__target in_l = {L, row, column}, in_n = {N, row, column};
        const vdi__bt_op l = {false, false,   g->d,  g->d, t > 0 ? g->d : 0, &S, NULL, &a, &before,
                              &U,    &pivots, &to_l, &in_l};
        const vdi__bt_op n = {false, false, g->d, g->d,    0,     &E,   NULL,
                              NULL,  NULL,  &U,   &pivots, &to_n, &in_n};
        good &= g->k->blocktri_pivots(&l);
        if (t + 1 < f->T) g->k->blocktri_op(&n);
    }
    return good;
}

VDI__FN void vdi__bt_factor_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const int64_t d = g->d, dd = g->dd, T = g->T;
    /* lanes: stays in the first-level cache between packing and use */
    const int64_t chunk = g->rows ? T : VDI__MAX((int64_t)1, 128 / dd);
    bool good = true;
    vdi__bt_factor f = VDI__ZERO;
    (void)work;
    f.rows = g->rows;
    f.d = d;
    f.T = T;
    f.L = g->L;
    f.N = g->N;
    f.g = g->block;
    if (g->rows) {
        const size_t block = (size_t)dd * g->real;
        f.D = (const char *)job->in[0] + (size_t)(g->first * g->bt->T) * block;
        f.E = T > 1 ? (const char *)job->in[1] + (size_t)(g->first * (g->bt->T - 1)) * block : NULL;
    }
    for (f.t0 = 0; f.t0 < T; f.t0 = f.t1) {
        f.t1 = VDI__MIN(T, f.t0 + chunk);
        char *L = vdi__bt_block(g, g->L, f.t0), *N = vdi__bt_block(g, g->N, f.t0);
        if (!g->rows) {
            vdi__bt_fetch(g, job->in[0], 0, 0, dd, f.t0, f.t1 - f.t0, L);
            if (f.t0 + 1 < T)
                vdi__bt_fetch(g, job->in[1], 0, 1, dd, f.t0, VDI__MIN(f.t1, T - 1) - f.t0, N);
            const int64_t lanes = vdi__bt_lanes(g->bt->dtype);
            for (int64_t w = 0; w < lanes; w++) { /* an identity where a lane has no block */
                for (int64_t t = VDI__MAX(f.t0, g->length[w]); t < f.t1; t++) {
                    for (int64_t i = 0; i < d; i++)
                        vdi_dtype_store(g->bt->dtype, g->L, (t * dd + i * (d + 1)) * lanes + w, 1);
                }
            }
        }
        const int chain = g->k->blocktri_chain(&f);
        good &= chain < 0 ? vdi__bt_factor_blocks(g, &f) : chain != 0;
    }
    g->bt->flags[g->first / (g->rows ? 1 : vdi__bt_lanes(g->bt->dtype))] = !good;
}

VDI__DEF vdi_status vdi_blocktri_factor(vdi_blocktri *bt, const void *D, const void *E,
                                        vdi_error *err) {
    static const char where[] = "vdi_blocktri_factor";
    vdi__bt_job job = VDI__ZERO;
    if (!bt || !bt->factor)
        return vdi_error_set(err, VDI_ERR_STATE, where, "the systems are not initialised");
    if (!D || (!E && bt->T > 1))
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%s is NULL", D ? "E" : "D");
    job.bt = bt;
    job.run = vdi__bt_factor_group;
    job.in[0] = D;
    job.in[1] = E;
    bt->factored = false;
    vdi__bt_run(&job, NULL);
    for (int64_t i = 0; i < bt->groups; i++) {
        vdi__bt g;
        if (!bt->flags[i]) continue;
        vdi__bt_open(&g, bt, i, 0);
        const int64_t lanes = g.rows ? 1 : vdi__bt_lanes(bt->dtype);
        for (int64_t w = 0; w < g.used; w++) {
            for (int64_t t = 0; t < g.length[w]; t++) {
                for (int64_t j = 0; j < g.d; j++) {
                    double r =
                        vdi_dtype_load(bt->dtype, g.L, (t * g.dd + j * (g.d + 1)) * lanes + w);
                    if (r > 0 && r < HUGE_VAL) continue;
                    return vdi_error_set(
                        err, VDI_ERR_NOT_POSITIVE_DEFINITE, where,
                        "trial %lld, block %lld (of 0..%lld): pivot %lld is %g, %s",
                        (long long)(g.first + w), (long long)t, (long long)(g.length[w] - 1),
                        (long long)j, 1 / r,
                        r == r && 1 / r < HUGE_VAL ? "not positive" : "not finite");
                }
            }
        }
    }
    bt->factored = true;
    return VDI_OK;
}

/* ---- what a factor is for -------------------------------------------------------------------- */

/* Without a factor the answer is NaN, not yesterday's numbers. Returns whether there is one. */
VDI__FN bool vdi__bt_ready(const vdi_blocktri *bt, void *out, int64_t count) {
    if (bt->factored) return true;
    for (int64_t i = 0; out && i < count; i++)
        vdi_dtype_store(bt->dtype, out, i, (double)NAN);
    return false;
}

VDI__FN void vdi__bt_logdet_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    double sums[16] = {0};
    (void)work;
    if (!g->rows) {
        g->k->blocktri_logs(g->L, g->d, g->T, sums);
    } else {
        const bool f64 = g->bt->dtype == VDI_F64;
        double product = 1;
        int64_t exponents = 0;
        for (int64_t t = 0; t < g->T; t++) {
            for (int64_t i = 0; i < g->d; i++) {
                /* a product of mantissas and a sum of exponents, as in the kernel */
                const char *at = g->L + (size_t)(t * g->dd + i * (g->d + 1)) * g->real;
                const double r = f64 ? *(const double *)(const void *)at
                                     : (double)*(const float *)(const void *)at;
                product *= r;
                if (product > 1e100 || product < 1e-100) {
                    int e;
                    product = frexp(product, &e);
                    exponents += e;
                }
            }
        }
        sums[0] = log(product) + (double)exponents * 0.69314718055994530942;
    }
    for (int64_t i = 0; i < g->used; i++)
        vdi_dtype_store(g->bt->dtype, job->out[0], g->first + i, g->length[i] ? -sums[i] : 0);
}

VDI__DEF void vdi_blocktri_logdet(const vdi_blocktri *bt, void *out) {
    vdi__bt_job job = VDI__ZERO;
    if (!vdi__bt_ready(bt, out, bt->trials)) return;
    job.bt = bt;
    job.run = vdi__bt_logdet_group;
    job.out[0] = out;
    vdi__bt_run(&job, NULL);
}

VDI__FN void vdi__bt_vectors_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const int64_t n = g->bt->T * g->d, lanes = vdi__bt_lanes(g->bt->dtype);
    (void)work;
    if (!g->rows) {
        for (int64_t s = 0; s < job->nrhs; s++) {
            vdi__bt_fetch(g, job->in[0], s, 0, g->d, 0, g->T, g->vec);
            vdi__bt_sweep(g, job->what, 1, 1, g->vec);
            vdi__bt_give(g, g->vec, 0, job->out[0], s, 0, g->d, 0, g->bt->T);
        }
        return;
    }
    for (int64_t s = 0; s < job->nrhs; s += lanes) {
        /* several right-hand sides lie side by side, as if they were lanes */
        const int64_t some = VDI__MIN(lanes, job->nrhs - s);
        int64_t count[16] = {0};
        const size_t at = (size_t)((s * g->bt->trials + g->first) * n) * g->real;
        const char *in = (const char *)job->in[0] + at;
        char *out = (char *)job->out[0] + at;
        if (some == 1) {
            memmove(out, in, (size_t)(g->T * g->d) * g->real);
            memset(out + (size_t)(g->T * g->d) * g->real, 0,
                   (size_t)((g->bt->T - g->T) * g->d) * g->real);
            vdi__bt_sweep(g, job->what, 1, 1, out);
            continue;
        }
        for (int64_t i = 0; i < some; i++)
            count[i] = g->T * g->d;
        g->k->blocktri_pack(in, g->bt->trials * n, count, g->T * g->d, g->vec);
        vdi__bt_sweep(g, job->what, some, lanes, g->vec);
        g->k->blocktri_unpack(g->vec, n, out, g->bt->trials * n, count, some, 0);
    }
}

VDI__FN void vdi__bt_vectors(const vdi_blocktri *bt, int what, int64_t nrhs, const void *in,
                             void *out) {
    vdi__bt_job job = VDI__ZERO;
    if (nrhs < 1 || !vdi__bt_ready(bt, out, nrhs * bt->trials * bt->T * bt->d)) return;
    job.bt = bt;
    job.run = vdi__bt_vectors_group;
    job.nrhs = nrhs;
    job.what = what;
    job.in[0] = in;
    job.out[0] = out;
    vdi__bt_run(&job, NULL);
}

VDI__DEF void vdi_blocktri_solve(const vdi_blocktri *bt, int64_t nrhs, const void *h, void *x) {
    vdi__bt_vectors(bt, VDI__BT_FORWARD | VDI__BT_BACKWARD, nrhs, h, x);
}
VDI__DEF void vdi_blocktri_solve_lower(const vdi_blocktri *bt, int64_t nrhs, const void *h,
                                       void *x) {
    vdi__bt_vectors(bt, VDI__BT_FORWARD | VDI__BT_ROOT, nrhs, h, x);
}
VDI__DEF void vdi_blocktri_sample(const vdi_blocktri *bt, int64_t nrhs, const void *eps, void *z) {
    vdi__bt_vectors(bt, VDI__BT_BACKWARD | VDI__BT_ROOT, nrhs, eps, z);
}

/* Marginals, from the last block to the first, each handed on as it is ready:
   O_t = -S_{t+1} G_t,  S_t = U^{-T} (p^{-1} U^{-1} - N' O_t)  with G' = U^{-T} N'. `lane` scales by
   a number per trial, or is NULL. */
VDI__FN void vdi__bt_marginals_run(const vdi__bt *g, const char *lane, double scale_s,
                                   double scale_o, void *S, void *O) {
    char *eye = vdi__bt_scratch(g, 0);
    char *x = vdi__bt_scratch(g, 1);
    char *gt = vdi__bt_scratch(g, 2);
    char *gg = vdi__bt_scratch(g, 3);
    char *o = vdi__bt_scratch(g, 4);
    char *raw = vdi__bt_scratch(g, 5);
    char *s = vdi__bt_scratch(g, 6);
    char *out = vdi__bt_scratch(g, 7);
    const vdi__matrix per_trial = {lane, 0, 0};
    const vdi__matrix I = vdi__bt_plain(g, eye), X = vdi__bt_plain(g, x), Os = vdi__bt_plain(g, o);
    const vdi__matrix Ss = vdi__bt_plain(g, s), G = vdi__bt_transposed(g, gt);
    const vdi__matrix copy = vdi__bt_plain(g, gg);
    memset(eye, 0, (size_t)g->dd * g->unit);
    for (int64_t i = 0; i < g->d; i++) {
        for (int64_t w = 0; w < g->lanes; w++)
            vdi_dtype_store(g->bt->dtype, eye, i * (g->d + 1) * g->lanes + w, 1);
    }
    for (int64_t t = g->T - 1; t >= 0; t--) {
        vdi__bt_solve_lower(g, t, &I, x);
        if (t + 1 == g->T) {
            vdi__bt_solve_upper(g, t, true, &X, NULL, NULL, raw);
        } else {
            const vdi__matrix N = vdi__bt_stored(g, g->N, t);
            vdi__bt_solve_upper(g, t, false, &N, NULL, NULL, gt);
            vdi__bt_mul(g, NULL, &Ss, vdi__bt_neighbours(g, gt, gg) ? &copy : &G, o);
            vdi__bt_solve_upper(g, t, true, &X, &N, &Os, raw);
            if (O) {
                if (lane) vdi__bt_map(g, VDI__BT_PRODUCT, &Os, &per_trial, 1, out);
                vdi__bt_give(g, lane ? out : o, scale_o, O, 0, 1, g->dd, t, 1);
            }
        }
        vdi__bt_symmetric(g, raw, 0.5, s);
        if (S) {
            if (lane) vdi__bt_map(g, VDI__BT_PRODUCT, &Ss, &per_trial, 1, out);
            vdi__bt_give(g, lane ? out : s, scale_s, S, 0, 0, g->dd, t, 1);
        }
    }
    if (S && scale_s == 0) vdi__bt_blank(g, S, 0, g->dd, g->T);
    if (O && scale_o == 0) vdi__bt_blank(g, O, 1, g->dd, VDI__MAX((int64_t)0, g->T - 1));
}

VDI__FN void vdi__bt_marginals_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const size_t blocks = (size_t)(g->first * g->dd) * g->real;
    char *S = job->out[0] ? (char *)job->out[0] + blocks * (size_t)g->bt->T : NULL;
    char *O = job->out[1] ? (char *)job->out[1] + blocks * (size_t)(g->bt->T - 1) : NULL;
    (void)work;
    if (g->rows && S && g->T == g->bt->T && g->k->blocktri_marginals(g->d, g->T, g->L, g->N, S, O))
        return;
    vdi__bt_marginals_run(g, NULL, 0, 0, job->out[0], job->out[1]);
}

VDI__DEF void vdi_blocktri_marginals(const vdi_blocktri *bt, void *S, void *O) {
    vdi__bt_job job = VDI__ZERO;
    const int64_t dd = bt->d * bt->d;
    if (!vdi__bt_ready(bt, S, bt->trials * bt->T * dd)) {
        (void)vdi__bt_ready(bt, O, bt->trials * (bt->T - 1) * dd);
        return;
    }
    job.bt = bt;
    job.run = vdi__bt_marginals_group;
    job.out[0] = S;
    job.out[1] = O;
    vdi__bt_run(&job, NULL);
}

VDI__FN void vdi__bt_get_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    char *x = vdi__bt_scratch(g, 0), *y = vdi__bt_scratch(g, 1);
    const vdi__matrix X = vdi__bt_transposed(g, x);
    (void)work;
    for (int64_t t = 0; t < g->T; t++) {
        const vdi__matrix U = vdi__bt_stored(g, g->L, t), N = vdi__bt_stored(g, g->N, t);
        const vdi__matrix p = vdi__bt_pivots(g, t);
        if (job->out[0]) {
            vdi__bt_map(g, VDI__BT_ROOT_COLUMNS, &U, &p, 1, x);
            vdi__bt_map(g, VDI__BT_SCALE, &X, &X, 1, y);
            vdi__bt_give(g, y, 0, job->out[0], 0, 0, g->dd, t, 1);
        }
        if (job->out[1] && t + 1 < g->T) {
            vdi__bt_map(g, VDI__BT_ROOT_DIVIDE, &N, &p, 1, x);
            vdi__bt_map(g, VDI__BT_SCALE, &X, &X, 1, y);
            vdi__bt_give(g, y, 0, job->out[1], 0, 1, g->dd, t, 1);
        }
    }
    if (job->out[0]) vdi__bt_blank(g, job->out[0], 0, g->dd, g->T);
    if (job->out[1]) vdi__bt_blank(g, job->out[1], 1, g->dd, VDI__MAX((int64_t)0, g->T - 1));
}

VDI__DEF void vdi_blocktri_get_factor(const vdi_blocktri *bt, void *L, void *M) {
    vdi__bt_job job = VDI__ZERO;
    const int64_t dd = bt->d * bt->d;
    if (!vdi__bt_ready(bt, L, bt->trials * bt->T * dd)) {
        (void)vdi__bt_ready(bt, M, bt->trials * (bt->T - 1) * dd);
        return;
    }
    job.bt = bt;
    job.run = vdi__bt_get_group;
    job.out[0] = L;
    job.out[1] = M;
    vdi__bt_run(&job, NULL);
}

VDI__FN void vdi__bt_matvec_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const int64_t n = g->bt->T * g->d;
    (void)work;
    for (int64_t s = 0; s < job->nrhs; s++) {
        for (int64_t i = 0; i < g->used; i++) {
            const int64_t b = g->first + i;
            const size_t at = (size_t)((s * g->bt->trials + b) * n) * g->real;
            char *y = (char *)job->out[0] + at;
            g->k->blocktri_matvec(
                g->d, g->length[i],
                (const char *)job->in[0] + (size_t)(b * g->bt->T * g->dd) * g->real,
                job->in[1]
                    ? (const char *)job->in[1] + (size_t)(b * (g->bt->T - 1) * g->dd) * g->real
                    : NULL,
                (const char *)job->in[2] + at, y);
            memset(y + (size_t)(g->length[i] * g->d) * g->real, 0,
                   (size_t)((g->bt->T - g->length[i]) * g->d) * g->real);
        }
    }
}

VDI__DEF void vdi_blocktri_matvec(const vdi_blocktri *bt, const void *D, const void *E,
                                  int64_t nrhs, const void *x, void *y) {
    vdi__bt_job job = VDI__ZERO;
    job.bt = bt;
    job.run = vdi__bt_matvec_group;
    job.nrhs = nrhs;
    job.in[0] = D;
    job.in[1] = E;
    job.in[2] = x;
    job.out[0] = y;
    vdi__bt_run(&job, NULL);
}
#endif
