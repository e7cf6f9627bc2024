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
 * Ragged trials: `lengths` (B) says how many blocks of each trial count; what lies behind them is
 * not read, and is written as 0. Everything is O(T d^3) and allocates nothing after init.
 *
 * How it runs: up to d = 24 and with enough trials one trial per SIMD lane; otherwise trial after
 * trial along the rows of its blocks, with the elimination's chain of pivots kept in registers up
 * to d = 8 and register tiles inside the block above. The choice depends on dtype, trials and d
 * alone: on one SIMD path the bits of a trial do not depend on threads, on its neighbours or on its
 * lane.
 *
 * Errors: a block that is not positive definite (or not finite) gives VDI_ERR_NOT_POSITIVE_DEFINITE
 * naming trial and block; the factor is then unusable until the next successful factor call: what
 * is asked of it until then is NaN (adjoints add nothing). Threads: one object per thread, or
 * desc.pool. What it does not do: pivoting, indefinite matrices, blocks of different size.
 */
#ifndef VDI_LINALG_BLOCKTRI_H
#define VDI_LINALG_BLOCKTRI_H
#include "../core/pool.h"
#include "../kernel/table.h"

/* A request to the block algebra: out = C - A B (m,n), or T^{-1} (C - A B) with a unit lower
   triangle T; k is the inner dimension. All strides are in reals; with lanes an element is a vector
   over the trials of a group, and with rows the columns of C, B, out and scaled are one apart. */
typedef struct vdi__bt_op {
    bool rows;
    int64_t m, n, k;
    const void *c, *pre; /* C, or NULL for 0; a factor for each of its rows, or NULL */
    int64_t cr, cc, pr;
    const void *a, *b;
    int64_t ar, ak, br, bc;
    const void *tri; /* T(i,k) at tri + i * tr + k * tk, k < i; or NULL */
    int64_t tr, tk;
    void *out, *scaled; /* scaled: NULL, or receives out with each row times `post` */
    const void *post;
    int64_t outr, outc, scaledr, scaledc, qr;
} vdi__bt_op;

/* Factorise blocks t0..t1 of T. L and N: blocks of U' and N' (see the implementation); g: scratch
 * of two blocks, kept from call to call. */
typedef struct vdi__bt_factor {
    bool rows;
    int64_t d, T, t0, t1;
    const void *D, *E; /* rows: the trial's own */
    void *L, *N, *g;
} vdi__bt_factor;

/* Vectors through a factor: y(t,i) at y + (t * d + i) * ys, n of them side by side (rows) or one
 * over the lanes (n = 1). */
typedef struct vdi__bt_sweep {
    bool rows;
    int what;
    int64_t d, T, n, ys;
    const void *L, *N;
    void *y, *root; /* root: scratch of d elements */
} vdi__bt_sweep;
enum { VDI__BT_FORWARD = 1, VDI__BT_BACKWARD = 2, VDI__BT_ROOT = 4 };
typedef enum vdi__bt_kind {
    VDI__BT_SUM,          /* scale (x + y) */
    VDI__BT_SCALE,        /* scale x */
    VDI__BT_PRODUCT,      /* x y */
    VDI__BT_ROOT_ROWS,    /* x sqrt(y) */
    VDI__BT_ROOT_DIVIDE,  /* x / sqrt(y) */
    VDI__BT_ROOT_COLUMNS, /* Cholesky's L' from U' */
    VDI__BT_UNIT,         /* a clean unit lower triangle */
    VDI__BT_HALF          /* upper triangle with half the diagonal */
} vdi__bt_kind;

/* kernels, one per path: X(name, result, (arguments)) */
#define VDI__LINALG_KERNELS_BLOCKTRI(X)                                                           \
    X(blocktri_op, OWN, void, (const vdi__bt_op *o))                                                   \
    X(blocktri_factor, OWN, bool, (const vdi__bt_factor *f))                                           \
    X(blocktri_sweep, OWN, void, (const vdi__bt_sweep *s))                                             \
    X(blocktri_marginals, OWN, bool,                                                                   \
      (int64_t d, int64_t T, const void *L, const void *N, void *S, void *O))                     \
    X(blocktri_logs, OWN, void, (const void *L, int64_t d, int64_t T, double *sums))                   \
    X(blocktri_pack, OWN, void,                                                                        \
      (const void *src, int64_t stride, const int64_t *count, int64_t n, void *dst))              \
    X(blocktri_unpack, OWN, void,                                                                      \
      (const void *src, int64_t n, void *dst, int64_t stride, const int64_t *count, int64_t used, \
       double scale))                                                                             \
    X(blocktri_turn, OWN, void, (int64_t count, int64_t d, bool lower, const void *src, void *dst))    \
    X(blocktri_add, OWN, void, (int64_t n, double scale, const void *src, void *dst))                  \
    X(blocktri_matvec, OWN, void,                                                                      \
      (int64_t d, int64_t T, const void *D, const void *E, const void *x, void *y))               \
    X(blocktri_map, OWN, void,                                                                         \
      (vdi__bt_kind kind, bool rows, int64_t d, const void *x, int64_t xr, int64_t xc,            \
       const void *y, int64_t yr, int64_t yc, double scale, void *out))

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

/* ---- reverse mode -------------------------------------------------------------------------------
 * For a scalar F of the outputs, given the cotangents of the outputs, these add the cotangents of
 * h, eps, D and E. Convention: the cotangent of D_t is symmetric (dF = sum_ij Dbar_ij dD_ij for a
 * symmetric dD), that of E_t is for the stored lower block (so it holds both places in which E_t
 * stands in J). Source: the adjoints of Cholesky (Murray 2016) and of the selected inverse;
 * docs/guide/blocktri.md derives them. All need the factor of the very D, E whose cotangents they
 * add.
 */
/** Bytes of scratch for the adjoints below. */
VDI_API size_t vdi_blocktri_adjoint_worksize(const vdi_blocktri_desc *desc);
/** F through log det: ldbar (B). Adds to Dbar (B,T,d,d), Ebar (B,T-1,d,d). */
VDI_API void vdi_blocktri_logdet_adjoint(const vdi_blocktri *bt, const void *ldbar, void *work,
                                         void *Dbar, void *Ebar);
/** F through x = J^{-1} h: xbar (nrhs,B,T,d). Adds to hbar (nrhs,B,T,d), Dbar, Ebar; each may be
 * NULL. */
VDI_API void vdi_blocktri_solve_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *x,
                                        const void *xbar, void *work, void *hbar, void *Dbar,
                                        void *Ebar);
/** F through z = L^{-T} eps: zbar (nrhs,B,T,d). Adds to epsbar, Dbar, Ebar; each may be NULL. */
VDI_API void vdi_blocktri_sample_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *z,
                                         const void *zbar, void *work, void *epsbar, void *Dbar,
                                         void *Ebar);
/** F through S and O: Sbar (B,T,d,d) (any, its symmetric part counts), Obar (B,T-1,d,d) or NULL; S,
 * O as vdi_blocktri_marginals gave them.
 */
VDI_API void vdi_blocktri_marginals_adjoint(const vdi_blocktri *bt, const void *S, const void *O,
                                            const void *Sbar, const void *Obar, void *work,
                                            void *Dbar, void *Ebar);
/** F through L and M themselves (for functions of the factor that are not listed above). Adds to
 * Dbar, Ebar. */
VDI_API void vdi_blocktri_factor_adjoint(const vdi_blocktri *bt, const void *Lbar, const void *Mbar,
                                         void *work, void *Dbar, void *Ebar);

#endif /* VDI_LINALG_BLOCKTRI_H */

#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_LINALG_BLOCKTRI_C)
#define VDI_LINALG_BLOCKTRI_C

/* ---- what is stored -----------------------------------------------------------------------------
 * J = W diag(p) W' with W unit lower block-bidiagonal: blocks U_t (unit lower triangular) on the
 * diagonal, N_t under it. In terms of Cholesky's own blocks L_t = U_t p_t^{1/2} and M_t = N_t
 * p_t^{1/2}; the roots are taken only where somebody asks for L, M or a sample, so that a pivot
 * costs one division and no root. Per block there are two d x d arrays,
 *     L: U_t' above the diagonal, 1/p_t on it (below it: nothing of meaning), and N: N_t'.
 * The transposes are kept because every step then reads and writes rows: with rows, element (j,i)
 * is at j d + i, and a vector is a piece of a row. With lanes, each element is a vector over
 * trials, any order costs the same, and the input's order is kept: element (j,i) at i d + j.
 */

/* One group of trials as the functions below see it. */
typedef struct vdi__bt {
    const vdi_blocktri *bt;
    const vdi__linalg_kernels *k;
    bool rows;
    int64_t d, dd, T;          /* T: the longest length of the group */
    int64_t first, used;       /* trials first .. first + used */
    int64_t lanes;             /* reals in an element: trials side by side, or 1 */
    int64_t r, c;              /* strides of U' and N' */
    size_t real, unit;         /* bytes of a real; of an element */
    int64_t length[16];        /* per lane, 0 where there is no trial */
    char *L, *N, *block, *vec; /* the factor; 16 blocks and T d lane vectors of scratch */
} vdi__bt;
#define VDI__BT_BLOCKS 16

/* A block as an operand: row and column stride in elements. */
typedef struct vdi__bt_view {
    char *p;
    int64_t r, c;
} vdi__bt_view;

VDI__FN int64_t vdi__bt_lanes(vdi_dtype dtype) { return dtype == VDI_F64 ? 8 : 16; }

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
    s->worker = vdi_align_size(vdi_add_size(vdi_mul_size(VDI__BT_BLOCKS * dd + d, unit), vec));
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

VDI__DEF size_t vdi_blocktri_adjoint_worksize(const vdi_blocktri_desc *desc) {
    vdi__bt_sizes s;
    if (!vdi__bt_measure(desc, &s)) return SIZE_MAX;
    return vdi_add_size(vdi_mul_size(s.adjoint, (size_t)vdi_pool_threads(desc->pool)), VDI_ALIGN);
}

VDI__DEF vdi_status vdi_blocktri_init(vdi_blocktri *bt, const vdi_blocktri_desc *desc, void *mem,
                                      size_t size, vdi_error *err) {
    static const char where[] = "vdi_blocktri_init";
    vdi__bt_sizes s;
    if (!bt || !desc)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%s is NULL", bt ? "desc" : "bt");
    memset(bt, 0, sizeof *bt);
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

VDI__FN void vdi__bt_open(vdi__bt *g, const vdi_blocktri *bt, int64_t group, int worker) {
    memset(g, 0, sizeof *g);
    g->bt = bt;
    g->k = vdi__linalg_of(bt->dtype);
    g->rows = bt->method != 0;
#if VDI__HAVE_AVX512 && VDI__HAVE_AVX2
    /* Rows that fill half a vector are better off in narrower ones: the same bits, and whole
     * stores, which the next load need not wait for.
     */
    if (g->rows && (size_t)bt->d * vdi_dtype_size(bt->dtype) <= 32 &&
        vdi_simd_active() == VDI_SIMD_AVX512)
        g->k = vdi__linalg_tables[VDI_SIMD_AVX2][bt->dtype == VDI_F64];
#endif
    const int64_t lanes = g->rows ? 1 : vdi__bt_lanes(bt->dtype);
    g->d = bt->d;
    g->dd = bt->d * bt->d;
    g->r = g->rows ? bt->d : 1;
    g->c = g->rows ? 1 : bt->d;
    g->real = vdi_dtype_size(bt->dtype);
    g->unit = g->real * (size_t)lanes;
    g->lanes = lanes;
    g->first = group * lanes;
    g->used = VDI__MIN(lanes, bt->trials - g->first);
    for (int64_t i = 0; i < g->used; i++) {
        g->length[i] = bt->lengths ? bt->lengths[g->first + i] : bt->T;
        g->T = VDI__MAX(g->T, g->length[i]);
    }
    const size_t half = (size_t)(bt->T * g->dd) * g->unit;
    g->L = (char *)bt->factor + (size_t)group * 2 * half;
    g->N = g->L + half;
    g->block = (char *)bt->work + (size_t)worker * bt->worker_size;
    g->vec = g->block + (size_t)(VDI__BT_BLOCKS * g->dd + g->d) * g->unit;
}

/* ---- between the caller's arrays and the group's --------------------------------------------- */

VDI__FN char *vdi__bt_block(const vdi__bt *g, char *base, int64_t t) {
    return base + (size_t)(t * g->dd) * g->unit;
}
VDI__FN char *vdi__bt_scratch(const vdi__bt *g, int i) { return vdi__bt_block(g, g->block, i); }
VDI__FN char *vdi__bt_root(const vdi__bt *g) { return vdi__bt_block(g, g->block, VDI__BT_BLOCKS); }
VDI__FN vdi__bt_view vdi__bt_plain(const vdi__bt *g, char *p) {
    vdi__bt_view v;
    v.p = p;
    v.r = g->d;
    v.c = 1;
    return v;
}
VDI__FN vdi__bt_view vdi__bt_stored(const vdi__bt *g, char *base, int64_t t) {
    vdi__bt_view v;
    v.p = vdi__bt_block(g, base, t);
    v.r = g->r;
    v.c = g->c;
    return v;
}

/* Items t0 .. t0+count of `n` reals each, of an array with T - less items per trial: what is behind
 * a trial's length (less `less`) counts as 0. */
VDI__FN void vdi__bt_fetch(const vdi__bt *g, const void *src, int64_t rhs, int less, int64_t n,
                           int64_t t0, int64_t count, char *dst) {
    const int64_t items = g->bt->T - less;
    int64_t have[16] = {0};
    for (int64_t i = 0; i < g->used; i++)
        have[i] = n * VDI__MAX((int64_t)0, VDI__MIN(count, g->length[i] - less - t0));
    const char *p =
        (const char *)src + (size_t)(((rhs * g->bt->trials + g->first) * items + t0) * n) * g->real;
    if (g->rows) {
        memcpy(dst, p, (size_t)have[0] * g->real);
        memset(dst + (size_t)have[0] * g->real, 0, (size_t)(n * count - have[0]) * g->real);
    } else {
        g->k->blocktri_pack(p, items * n, have, n * count, dst);
    }
}

/* The way back. scale 0: store, and 0 behind a trial's length; else add scale times. */
VDI__FN void vdi__bt_give(const vdi__bt *g, const char *src, double scale, void *dst, int64_t rhs,
                          int less, int64_t n, int64_t t0, int64_t count) {
    const int64_t items = g->bt->T - less;
    int64_t have[16] = {0};
    if (count <= 0) return;
    for (int64_t i = 0; i < g->used; i++)
        have[i] = n * VDI__MAX((int64_t)0, VDI__MIN(count, g->length[i] - less - t0));
    char *p = (char *)dst + (size_t)(((rhs * g->bt->trials + g->first) * items + t0) * n) * g->real;
    if (!g->rows) {
        g->k->blocktri_unpack(src, n * count, p, items * n, have, g->used, scale);
    } else if (scale != 0) {
        g->k->blocktri_add(have[0], scale, src, p);
    } else {
        memcpy(p, src, (size_t)have[0] * g->real);
        memset(p + (size_t)have[0] * g->real, 0, (size_t)(n * count - have[0]) * g->real);
    }
}

/* Zeros in all items from t0 on. */
VDI__FN void vdi__bt_blank(const vdi__bt *g, void *dst, int less, int64_t n, int64_t t0) {
    const int64_t items = g->bt->T - less;
    for (int64_t i = 0; i < g->used && t0 < items; i++) {
        memset((char *)dst + (size_t)(((g->first + i) * items + t0) * n) * g->real, 0,
               (size_t)((items - t0) * n) * g->real);
    }
}

/* ---- block algebra --------------------------------------------------------------------------- */

/* out = C - A B, plain; C.p may be NULL for 0. With rows, the columns of C and B must be 1
 * apart. */
VDI__FN void vdi__bt_mul(const vdi__bt *g, vdi__bt_view C, vdi__bt_view A, vdi__bt_view B,
                         char *out) {
    const int64_t u = g->lanes;
    vdi__bt_op o = VDI__ZERO;
    o.rows = g->rows;
    o.m = o.n = o.k = g->d;
    o.c = C.p;
    o.cr = C.r * u;
    o.cc = C.c * u;
    o.a = A.p;
    o.ar = A.r * u;
    o.ak = A.c * u;
    o.b = B.p;
    o.br = B.r * u;
    o.bc = B.c * u;
    o.out = out;
    o.outr = g->d * u;
    o.outc = u;
    g->k->blocktri_op(&o);
}

/* out = U_t^{-1} C */
VDI__FN void vdi__bt_solve_lower(const vdi__bt *g, int64_t t, vdi__bt_view C, char *out) {
    const int64_t u = g->lanes;
    vdi__bt_op o = VDI__ZERO;
    o.rows = g->rows;
    o.m = o.n = g->d;
    o.c = C.p;
    o.cr = C.r * u;
    o.cc = C.c * u;
    o.tri = vdi__bt_block(g, g->L, t);
    o.tr = g->c * u;
    o.tk = g->r * u;
    o.out = out;
    o.outr = g->d * u;
    o.outc = u;
    g->k->blocktri_op(&o);
}

/* out = U_t^{-T} (s C - A B), from the last row up; s is diag(1/p_t) if `scaled`, else 1; A.p may
 * be NULL. */
VDI__FN void vdi__bt_solve_upper(const vdi__bt *g, int64_t t, bool scaled, vdi__bt_view C,
                                 vdi__bt_view A, vdi__bt_view B, char *out) {
    const int64_t last = g->d - 1;
    char *L = vdi__bt_block(g, g->L, t);
    const int64_t u = g->lanes;
    vdi__bt_op o = VDI__ZERO;
    o.rows = g->rows;
    o.m = o.n = g->d;
    o.c = C.p + (size_t)(last * C.r) * g->unit;
    o.cr = -C.r * u;
    o.cc = C.c * u;
    if (scaled) {
        o.pre = L + (size_t)(g->dd - 1) * g->unit;
        o.pr = -(g->d + 1) * u;
    }
    if (A.p) {
        o.k = g->d;
        o.a = A.p + (size_t)(last * A.r) * g->unit;
        o.ar = -A.r * u;
        o.ak = A.c * u;
        o.b = B.p;
        o.br = B.r * u;
        o.bc = B.c * u;
    }
    o.tri = L + (size_t)(g->dd - 1) * g->unit;
    o.tr = -g->r * u;
    o.tk = -g->c * u;
    o.out = out + (size_t)(last * g->d) * g->unit;
    o.outr = -g->d * u;
    o.outc = u;
    g->k->blocktri_op(&o);
}

/* The transpose: by strides with lanes, a copy in `buffer` with rows. */
VDI__FN vdi__bt_view vdi__bt_turned(const vdi__bt *g, char *plain, char *buffer) {
    vdi__bt_view v;
    if (g->rows) {
        g->k->blocktri_turn(1, g->d, false, plain, buffer);
        return vdi__bt_plain(g, buffer);
    }
    v.p = plain;
    v.r = 1;
    v.c = g->d;
    return v;
}

/* The transpose for the calls that take any strides. */
VDI__FN vdi__bt_view vdi__bt_turned_view(const vdi__bt *g, char *plain) {
    vdi__bt_view v;
    v.p = plain;
    v.r = 1;
    v.c = g->d;
    return v;
}

VDI__FN void vdi__bt_map(const vdi__bt *g, vdi__bt_kind kind, vdi__bt_view x, vdi__bt_view y,
                         double scale, char *out) {
    g->k->blocktri_map(kind, g->rows, g->d, x.p, x.r, x.c, y.p, y.r, y.c, scale, out);
}

/* out = scale (x + x') */
VDI__FN void vdi__bt_symmetric(const vdi__bt *g, char *x, double scale, char *out) {
    vdi__bt_view v = vdi__bt_plain(g, x), turned = v;
    turned.r = 1;
    turned.c = g->d;
    vdi__bt_map(g, VDI__BT_SUM, v, turned, scale, out);
}

/* out = P_t^{-1} C with P_t = L_t L_t'; tmp is a block */
VDI__FN void vdi__bt_solve_block(const vdi__bt *g, int64_t t, vdi__bt_view C, char *tmp,
                                 char *out) {
    const vdi__bt_view none = VDI__ZERO;
    vdi__bt_solve_lower(g, t, C, tmp);
    vdi__bt_solve_upper(g, t, true, vdi__bt_plain(g, tmp), none, none, out);
}

/* ---- jobs: one per group --------------------------------------------------------------------- */

typedef struct vdi__bt_job {
    const vdi_blocktri *bt;
    void (*run)(const vdi__bt *g, const struct vdi__bt_job *job, char *work);
    int64_t nrhs;
    int what;
    const void *in[4];
    void *out[3];
    char *work;
} vdi__bt_job;

VDI__FN void vdi__bt_run_group(int64_t group, int worker, void *user) {
    const vdi__bt_job *job = (const vdi__bt_job *)user;
    vdi__bt g;
    vdi__bt_open(&g, job->bt, group, worker);
    job->run(&g, job, job->work ? job->work + (size_t)worker * job->bt->adjoint_size : NULL);
}

VDI__FN void vdi__bt_run(vdi__bt_job *job, void *work) {
    if (work) job->work = (char *)work + (VDI_ALIGN - (uintptr_t)work % VDI_ALIGN) % VDI_ALIGN;
    if (job->bt->pool) {
        vdi_pool_run(job->bt->pool, job->bt->groups, vdi__bt_run_group, job);
        return;
    }
    for (int64_t i = 0; i < job->bt->groups; i++)
        vdi__bt_run_group(i, 0, job);
}

/* ---- factor ---------------------------------------------------------------------------------- */

VDI__FN void vdi__bt_factor_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const int64_t d = g->d, dd = g->dd, T = g->T;
    /* stays in the first-level cache between packing and use */
    const int64_t chunk = VDI__MAX((int64_t)1, (g->rows ? 1024 : 128) / dd);
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
        good &= g->k->blocktri_factor(&f);
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

/* ---- what a factor is for -----------------------------------------------------------------------
 */

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
        double product = 1;
        int64_t exponents = 0;
        for (int64_t t = 0; t < g->T; t++) {
            for (int64_t i = 0; i < g->d; i++) {
                /* a product of mantissas and a sum of exponents, as in the kernel */
                double r = vdi_dtype_load(g->bt->dtype, g->L, t * g->dd + i * (g->d + 1));
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

VDI__FN void vdi__bt_sweep_run(const vdi__bt *g, int what, int64_t n, int64_t ys, char *y) {
    vdi__bt_sweep s = VDI__ZERO;
    s.rows = g->rows;
    s.what = what;
    s.d = g->d;
    s.T = g->T;
    s.n = n;
    s.ys = ys;
    s.L = g->L;
    s.N = g->N;
    s.y = y;
    s.root = vdi__bt_root(g);
    g->k->blocktri_sweep(&s);
}

VDI__FN void vdi__bt_vectors_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const int64_t n = g->bt->T * g->d, lanes = vdi__bt_lanes(g->bt->dtype);
    (void)work;
    if (!g->rows) {
        for (int64_t s = 0; s < job->nrhs; s++) {
            vdi__bt_fetch(g, job->in[0], s, 0, g->d, 0, g->T, g->vec);
            vdi__bt_sweep_run(g, job->what, 1, 1, g->vec);
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
            vdi__bt_sweep_run(g, job->what, 1, 1, out);
            continue;
        }
        for (int64_t i = 0; i < some; i++)
            count[i] = g->T * g->d;
        g->k->blocktri_pack(in, g->bt->trials * n, count, g->T * g->d, g->vec);
        vdi__bt_sweep_run(g, job->what, some, lanes, g->vec);
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
    const vdi__bt_view none = VDI__ZERO;
    char *eye = vdi__bt_scratch(g, 0);
    char *x = vdi__bt_scratch(g, 1);
    char *gt = vdi__bt_scratch(g, 2);
    char *gg = vdi__bt_scratch(g, 3);
    char *o = vdi__bt_scratch(g, 4);
    char *raw = vdi__bt_scratch(g, 5);
    char *s = vdi__bt_scratch(g, 6);
    char *out = vdi__bt_scratch(g, 7);
    const int64_t lanes = (int64_t)(g->unit / g->real);
    memset(eye, 0, (size_t)g->dd * g->unit);
    for (int64_t i = 0; i < g->d; i++) {
        for (int64_t w = 0; w < lanes; w++)
            vdi_dtype_store(g->bt->dtype, eye, i * (g->d + 1) * lanes + w, 1);
    }
    for (int64_t t = g->T - 1; t >= 0; t--) {
        vdi__bt_solve_lower(g, t, vdi__bt_plain(g, eye), x);
        if (t + 1 == g->T) {
            vdi__bt_solve_upper(g, t, true, vdi__bt_plain(g, x), none, none, raw);
        } else {
            const vdi__bt_view N = vdi__bt_stored(g, g->N, t);
            vdi__bt_solve_upper(g, t, false, N, none, none, gt);
            vdi__bt_mul(g, none, vdi__bt_plain(g, s), vdi__bt_turned(g, gt, gg), o);
            vdi__bt_solve_upper(g, t, true, vdi__bt_plain(g, x), N, vdi__bt_plain(g, o), raw);
            if (O) {
                vdi__bt_view per_trial = {(char *)0, 0, 0};
                per_trial.p = (char *)(uintptr_t)(const void *)lane;
                if (lane) vdi__bt_map(g, VDI__BT_PRODUCT, vdi__bt_plain(g, o), per_trial, 1, out);
                vdi__bt_give(g, lane ? out : o, scale_o, O, 0, 1, g->dd, t, 1);
            }
        }
        vdi__bt_symmetric(g, raw, 0.5, s);
        if (S) {
            vdi__bt_view per_trial = {(char *)0, 0, 0};
            per_trial.p = (char *)(uintptr_t)(const void *)lane;
            if (lane) vdi__bt_map(g, VDI__BT_PRODUCT, vdi__bt_plain(g, s), per_trial, 1, out);
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
    (void)work;
    for (int64_t t = 0; t < g->T; t++) {
        vdi__bt_view U = vdi__bt_stored(g, g->L, t), N = vdi__bt_stored(g, g->N, t), p = U;
        p.r = g->d + 1;
        p.c = 0;
        if (job->out[0]) {
            vdi__bt_map(g, VDI__BT_ROOT_COLUMNS, U, p, 1, x);
            vdi__bt_map(g, VDI__BT_SCALE, vdi__bt_turned_view(g, x), p, 1, y);
            vdi__bt_give(g, y, 0, job->out[0], 0, 0, g->dd, t, 1);
        }
        if (job->out[1] && t + 1 < g->T) {
            vdi__bt_map(g, VDI__BT_ROOT_DIVIDE, N, p, 1, x);
            vdi__bt_map(g, VDI__BT_SCALE, vdi__bt_turned_view(g, x), p, 1, y);
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

/* ---- adjoints (derived in docs/guide/blocktri.md) ------------------------------------------- */

/* d log det J = sum <S_t, dD_t> + 2 <O_t, dE_t> */
VDI__FN void vdi__bt_logdet_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    char *lane = vdi__bt_root(g);
    const int64_t lanes = (int64_t)(g->unit / g->real);
    (void)work;
    for (int64_t w = 0; w < lanes; w++) {
        vdi_dtype_store(g->bt->dtype, lane, w,
                        w < g->used ? vdi_dtype_load(g->bt->dtype, job->in[0], g->first + w) : 0);
    }
    vdi__bt_marginals_run(g, lane, 1, 2, job->out[0], job->out[1]);
}

VDI__DEF void vdi_blocktri_logdet_adjoint(const vdi_blocktri *bt, const void *ldbar, void *work,
                                          void *Dbar, void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored) return;
    job.bt = bt;
    job.run = vdi__bt_logdet_adjoint_group;
    job.in[0] = ldbar;
    job.out[0] = Dbar;
    job.out[1] = Ebar;
    vdi__bt_run(&job, work);
}

/* acc_D(t) -= sum_k a_k(t) b_k(t)', acc_E(t) -= sum_k a_k(t+1) b_k(t)' with the vectors a_1 = a,
   a_2 = b if `both`: k = 1, 2. With `turn` acc_E takes b_k(t) a_k(t+1)' instead. The `first` call
   begins at 0. */
VDI__FN void vdi__bt_outer(const vdi__bt *g, char *a, char *b, bool both, bool turn, bool first,
                           char *accD, char *accE) {
    const int64_t u = g->lanes, apart = (b - a) / (int64_t)g->real;
    vdi__bt_op o = VDI__ZERO;
    o.rows = g->rows;
    o.m = o.n = g->d;
    o.k = both ? 2 : 1;
    o.cr = o.outr = g->d * u;
    o.cc = o.outc = u;
    o.ar = u;
    o.ak = apart;
    o.br = -apart;
    o.bc = u;
    for (int64_t t = 0; t < g->T; t++) {
        const size_t at = (size_t)(t * g->d) * g->unit, next = at + (size_t)g->d * g->unit;
        o.a = a + at;
        o.b = b + at;
        o.out = vdi__bt_block(g, accD, t);
        o.c = first ? NULL : o.out;
        g->k->blocktri_op(&o);
        if (t + 1 == g->T) continue;
        o.a = a + (turn ? at : next);
        o.b = b + (turn ? next : at);
        o.out = vdi__bt_block(g, accE, t);
        o.c = first ? NULL : o.out;
        g->k->blocktri_op(&o);
    }
}

/* w = J^{-1} xbar; hbar += w; Dbar_t -= (w_t x_t' + x_t w_t')/2; Ebar_t -= w_{t+1} x_t' + x_{t+1}
 * w_t' */
VDI__FN void vdi__bt_solve_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const size_t blocks = (size_t)(g->bt->T * g->dd) * g->unit;
    const size_t vector = (size_t)(g->bt->T * g->d) * g->unit;
    char *accD = work;
    char *accE = work + blocks;
    char *w = work + 2 * blocks;
    char *x = w + vector;
    const bool matrices = job->out[1] || job->out[2];
    for (int64_t s = 0; s < job->nrhs; s++) {
        vdi__bt_fetch(g, job->in[1], s, 0, g->d, 0, g->T, w);
        vdi__bt_sweep_run(g, VDI__BT_FORWARD | VDI__BT_BACKWARD, 1, 1, w);
        if (job->out[0]) vdi__bt_give(g, w, 1, job->out[0], s, 0, g->d, 0, g->T);
        if (!matrices) continue;
        vdi__bt_fetch(g, job->in[0], s, 0, g->d, 0, g->T, x);
        vdi__bt_outer(g, w, x, true, false, s == 0, accD, accE);
    }
    if (job->out[1]) vdi__bt_give(g, accD, 0.5, job->out[1], 0, 0, g->dd, 0, g->T);
    if (job->out[2]) vdi__bt_give(g, accE, 1, job->out[2], 0, 1, g->dd, 0, g->T - 1);
}

VDI__DEF void vdi_blocktri_solve_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *x,
                                         const void *xbar, void *work, void *hbar, void *Dbar,
                                         void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored || nrhs < 1) return;
    job.bt = bt;
    job.run = vdi__bt_solve_adjoint_group;
    job.nrhs = nrhs;
    job.in[0] = x;
    job.in[1] = xbar;
    job.out[0] = hbar;
    job.out[1] = Dbar;
    job.out[2] = Ebar;
    vdi__bt_run(&job, work);
}

/* From the cotangents of the factor to those of D and E. lbar and mbar hold, for each block, the
   transposes of Lbar p^{-1/2} and Mbar p^{-1/2}; only what is on and above the diagonal of lbar
   counts. From the last block up:
     2 Dbar_t = Q + Q', Q = U^{-T} half(U' Lbar p^{-1/2}) U^{-1},
     Mbar_{t-1} -= 2 Dbar_t M_{t-1},  Ebar_{t-1} = Mbar_{t-1} L_{t-1}^{-1},
     Lbar_{t-1} -= lower(Ebar_{t-1}' M_{t-1}). */
VDI__FN void vdi__bt_factor_adjoint_run(const vdi__bt *g, char *lbar, char *mbar, void *Dbar,
                                        void *Ebar) {
    const vdi__bt_view none = VDI__ZERO;
    char *unit = vdi__bt_scratch(g, 0);
    char *x = vdi__bt_scratch(g, 1);
    char *y = vdi__bt_scratch(g, 2);
    char *z = vdi__bt_scratch(g, 3);
    char *twice = vdi__bt_scratch(g, 4);
    for (int64_t t = g->T - 1; t >= 0; t--) {
        vdi__bt_view U = vdi__bt_stored(g, g->L, t), turned = U;
        turned.r = U.c;
        turned.c = U.r;
        vdi__bt_map(g, VDI__BT_UNIT, turned, turned, 1, unit);
        vdi__bt_mul(g, none, vdi__bt_plain(g, vdi__bt_block(g, lbar, t)), vdi__bt_plain(g, unit),
                    x);
        vdi__bt_map(g, VDI__BT_HALF, vdi__bt_plain(g, x), vdi__bt_plain(g, x), 1, y);
        vdi__bt_solve_upper(g, t, false, vdi__bt_plain(g, y), none, none, x);
        vdi__bt_solve_upper(g, t, false, vdi__bt_turned(g, x, y), none, none, z);
        vdi__bt_symmetric(g, z, -1, twice); /* the product above came with a minus */
        if (Dbar) vdi__bt_give(g, twice, 0.5, Dbar, 0, 0, g->dd, t, 1);
        if (t == 0) break;
        const vdi__bt_view N = vdi__bt_stored(g, g->N, t - 1);
        char *l = vdi__bt_block(g, lbar, t - 1), *m = vdi__bt_block(g, mbar, t - 1);
        vdi__bt_mul(g, vdi__bt_plain(g, m), N, vdi__bt_plain(g, twice), x);
        vdi__bt_solve_upper(g, t - 1, false, vdi__bt_plain(g, x), none, none, y);
        vdi__bt_map(g, VDI__BT_SCALE, vdi__bt_turned_view(g, y), none, 1, z);
        if (Ebar) vdi__bt_give(g, z, 1, Ebar, 0, 1, g->dd, t - 1, 1);
        vdi__bt_mul(g, vdi__bt_plain(g, l), N, vdi__bt_plain(g, z), l);
    }
}

/* u = L^{-1} zbar; epsbar += u; Lbar_t = -lower(z_t u_t'), Mbar_t = -z_{t+1} u_t' */
VDI__FN void vdi__bt_sample_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const size_t blocks = (size_t)(g->bt->T * g->dd) * g->unit;
    const size_t vector = (size_t)(g->bt->T * g->d) * g->unit;
    char *lbar = work;
    char *mbar = work + blocks;
    char *u = work + 2 * blocks;
    char *z = u + vector;
    const bool matrices = job->out[1] || job->out[2];
    for (int64_t s = 0; s < job->nrhs; s++) {
        vdi__bt_fetch(g, job->in[1], s, 0, g->d, 0, g->T, u);
        vdi__bt_sweep_run(g, VDI__BT_FORWARD | VDI__BT_ROOT, 1, 1, u);
        if (job->out[0]) vdi__bt_give(g, u, 1, job->out[0], s, 0, g->d, 0, g->T);
        if (!matrices) continue;
        vdi__bt_sweep_run(g, VDI__BT_ROOT, 1, 1, u); /* u p^{-1/2} */
        vdi__bt_fetch(g, job->in[0], s, 0, g->d, 0, g->T, z);
        vdi__bt_outer(g, u, z, false, true, s == 0, lbar, mbar);
    }
    if (matrices) vdi__bt_factor_adjoint_run(g, lbar, mbar, job->out[1], job->out[2]);
}

VDI__DEF void vdi_blocktri_sample_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *z,
                                          const void *zbar, void *work, void *epsbar, void *Dbar,
                                          void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored || nrhs < 1) return;
    job.bt = bt;
    job.run = vdi__bt_sample_adjoint_group;
    job.nrhs = nrhs;
    job.in[0] = z;
    job.in[1] = zbar;
    job.out[0] = epsbar;
    job.out[1] = Dbar;
    job.out[2] = Ebar;
    vdi__bt_run(&job, work);
}

VDI__FN void vdi__bt_factor_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const size_t blocks = (size_t)(g->bt->T * g->dd) * g->unit;
    char *lbar = work, *mbar = work + blocks, *x = vdi__bt_scratch(g, 0);
    memset(work, 0, 2 * blocks);
    for (int64_t t = 0; t < g->T; t++) {
        vdi__bt_view p = vdi__bt_stored(g, g->L, t);
        p.r = g->d + 1;
        p.c = 0;
        if (job->in[0]) {
            vdi__bt_fetch(g, job->in[0], 0, 0, g->dd, t, 1, x);
            vdi__bt_map(g, VDI__BT_ROOT_ROWS, vdi__bt_turned_view(g, x), p, 1,
                        vdi__bt_block(g, lbar, t));
        }
        if (job->in[1] && t + 1 < g->T) {
            vdi__bt_fetch(g, job->in[1], 0, 1, g->dd, t, 1, x);
            vdi__bt_map(g, VDI__BT_ROOT_ROWS, vdi__bt_turned_view(g, x), p, 1,
                        vdi__bt_block(g, mbar, t));
        }
    }
    vdi__bt_factor_adjoint_run(g, lbar, mbar, job->out[0], job->out[1]);
}

VDI__DEF void vdi_blocktri_factor_adjoint(const vdi_blocktri *bt, const void *Lbar,
                                          const void *Mbar, void *work, void *Dbar, void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored) return;
    job.bt = bt;
    job.run = vdi__bt_factor_adjoint_group;
    job.in[0] = Lbar;
    job.in[1] = Mbar;
    job.out[0] = Dbar;
    job.out[1] = Ebar;
    vdi__bt_run(&job, work);
}

/* The map from J to the blocks of its inverse is the gradient of log det J, so its derivative is
   symmetric: the cotangents are the derivative of (S, 2 O) in the direction dD = sym(Sbar), dE =
   Obar/2. With G_t = E_t P_t^{-1} and P_t the eliminated block:
     dP_{t+1} = dD_{t+1} - Z G' - G Z',  Z = dE - G dP/2;   dG' = P^{-1} (dE - G dP)';
     dO = -dS_{t+1} G - S_{t+1} dG;   dS_t = -P^{-1} dP P^{-1} - dG' O - G' dO. */
VDI__FN void vdi__bt_marginals_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const vdi__bt_view none = VDI__ZERO;
    const size_t blocks = (size_t)(g->bt->T * g->dd) * g->unit;
    char *dP = work, *dG = work + blocks;
    char *gt = vdi__bt_scratch(g, 0);
    char *in = vdi__bt_scratch(g, 1);
    char *dE = vdi__bt_scratch(g, 2);
    char *y = vdi__bt_scratch(g, 3);
    char *z = vdi__bt_scratch(g, 4);
    char *x = vdi__bt_scratch(g, 5);
    char *s = vdi__bt_scratch(g, 6);
    char *o = vdi__bt_scratch(g, 7);
    char *dO = vdi__bt_scratch(g, 8);
    char *dS = vdi__bt_scratch(g, 9);
    char *turn1 = vdi__bt_scratch(g, 10);
    char *turn2 = vdi__bt_scratch(g, 11);
    for (int64_t t = 0; t < g->T; t++) {
        char *here = vdi__bt_block(g, dP, t);
        vdi__bt_fetch(g, job->in[2], 0, 0, g->dd, t, 1, in);
        if (t == 0) {
            vdi__bt_symmetric(g, in, 0.5, here);
        } else { /* x holds -G Z' */
            vdi__bt_symmetric(g, in, 0.5, y);
            vdi__bt_symmetric(g, x, 1, z);
            vdi__bt_map(g, VDI__BT_SUM, vdi__bt_plain(g, y), vdi__bt_plain(g, z), 1, here);
        }
        if (t + 1 == g->T) break;
        vdi__bt_solve_upper(g, t, false, vdi__bt_stored(g, g->N, t), none, none, gt);
        if (job->in[3]) {
            vdi__bt_fetch(g, job->in[3], 0, 1, g->dd, t, 1, in);
            vdi__bt_map(g, VDI__BT_SCALE, vdi__bt_turned_view(g, in), none, 0.5, dE);
        } else {
            memset(dE, 0, (size_t)g->dd * g->unit);
        }
        vdi__bt_mul(g, vdi__bt_plain(g, dE), vdi__bt_plain(g, here), vdi__bt_plain(g, gt), y);
        vdi__bt_solve_block(g, t, vdi__bt_plain(g, y), z, vdi__bt_block(g, dG, t));
        vdi__bt_map(g, VDI__BT_SUM, vdi__bt_plain(g, y), vdi__bt_plain(g, dE), 0.5, z);
        vdi__bt_mul(g, none, vdi__bt_turned_view(g, gt), vdi__bt_plain(g, z), x);
    }
    for (int64_t t = g->T - 1; t >= 0; t--) {
        vdi__bt_solve_block(g, t, vdi__bt_plain(g, vdi__bt_block(g, dP, t)), x, y);
        vdi__bt_map(g, VDI__BT_SCALE, vdi__bt_turned_view(g, y), none, -1, z);
        vdi__bt_solve_block(g, t, vdi__bt_plain(g, z), x, y); /* -P^{-1} dP P^{-1} */
        if (t + 1 < g->T) {
            char *dg = vdi__bt_block(g, dG, t);
            vdi__bt_solve_upper(g, t, false, vdi__bt_stored(g, g->N, t), none, none, gt);
            vdi__bt_fetch(g, job->in[0], 0, 0, g->dd, t + 1, 1, s);
            vdi__bt_fetch(g, job->in[1], 0, 1, g->dd, t, 1, o);
            vdi__bt_mul(g, none, vdi__bt_plain(g, dS), vdi__bt_turned(g, gt, turn1), x);
            vdi__bt_mul(g, vdi__bt_plain(g, x), vdi__bt_plain(g, s), vdi__bt_turned(g, dg, turn2),
                        dO);
            if (job->out[1]) vdi__bt_give(g, dO, 2, job->out[1], 0, 1, g->dd, t, 1);
            vdi__bt_mul(g, vdi__bt_plain(g, y), vdi__bt_plain(g, dg), vdi__bt_plain(g, o), x);
            vdi__bt_mul(g, vdi__bt_plain(g, x), vdi__bt_plain(g, gt), vdi__bt_plain(g, dO), y);
        }
        vdi__bt_symmetric(g, y, 0.5, dS);
        if (job->out[0]) vdi__bt_give(g, dS, 1, job->out[0], 0, 0, g->dd, t, 1);
    }
}

VDI__DEF void vdi_blocktri_marginals_adjoint(const vdi_blocktri *bt, const void *S, const void *O,
                                             const void *Sbar, const void *Obar, void *work,
                                             void *Dbar, void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored) return;
    job.bt = bt;
    job.run = vdi__bt_marginals_adjoint_group;
    job.in[0] = S;
    job.in[1] = O;
    job.in[2] = Sbar;
    job.in[3] = Obar;
    job.out[0] = Dbar;
    job.out[1] = Ebar;
    vdi__bt_run(&job, work);
}
#endif
