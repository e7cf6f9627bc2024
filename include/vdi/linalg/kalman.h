/* linalg/kalman.h - Kalman filter and Rauch-Tung-Striebel smoother for many trials at once
 *
 * Do this: see model/lds/smooth.h, which prepares the arrays. The recursions are here because they
 * are linear algebra over lanes: one covariance sequence ("group") per SIMD lane, and under it as
 * many mean sequences as there are trials with those covariances.
 *
 *     z_1 ~ N(c_1, Q0),  z_t = A z_{t-1} + c_t + N(0, Q),  and each bin's observation enters by its
 *     information
 *     W_t = C' R^{-1} C (d,d) and h_t = C' R^{-1} (y_t - b)  (rows of missing entries left out).
 *
 * The update is done in square-root form, so that no matrix is inverted and every covariance stays
 * positive semidefinite:
 *     Pp = L L',  I + L' W L = G G',  K = L G^{-T},  Pf = K K',  mf = mp + Pf (h - W mp).
 * Source: Kalman 1960, Rauch, Tung, Striebel 1965; the form of the update by Woodbury's identity.
 *
 * Arrays are packed: covariances (G,T,d,d), means (S,G,T,d). Beyond a group's length everything is
 * written as 0.
 */
#ifndef VDI_LINALG_KALMAN_H
#define VDI_LINALG_KALMAN_H
#include "view.h"

/** Sizes of a filter run. */
typedef struct vdi_kalman_desc {
    vdi_dtype dtype;        /**< VDI_F32 or VDI_F64 */
    int64_t groups;         /**< G: distinct covariance sequences */
    int64_t nrhs;           /**< S: mean sequences per group */
    int64_t T, d;           /**< bins, state dimension */
    const int64_t *lengths; /**< (G), or NULL: all T */
    bool shared_w;          /**< W is one (d,d), that of all bins */
} vdi_kalman_desc;

/** Bytes of scratch for both functions; SIZE_MAX if the sizes are out of range. */
VDI_API size_t vdi_kalman_worksize(const vdi_kalman_desc *desc);
/** Filter. A, Q, Q0 (d,d); W (G,T,d,d); h, c (S,G,T,d), c_1 being the mean of z_1. Writes predicted
 * mp, filtered mf (S,G,T,d), their covariances Pp, Pf (G,T,d,d), and logdet (G): the sum over bins
 * of log|Pp_t| - log|Pf_t|, which is what the observations add to the log determinant of the
 * precision. VDI_ERR_NOT_POSITIVE_DEFINITE names group and bin. */
VDI_API VDI_NODISCARD vdi_status vdi_kalman_filter(const vdi_kalman_desc *desc, const void *A,
                                                   const void *Q, const void *Q0, const void *W,
                                                   const void *h, const void *c, void *work,
                                                   void *mp, void *Pp, void *mf, void *Pf,
                                                   void *logdet, vdi_error *err);
/** Smooth what vdi_kalman_filter left: ms (S,G,T,d), Ps (G,T,d,d), Pc (G,T-1,d,d) = Cov(z_{t+1},
 * z_t | y), or NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_kalman_smooth(const vdi_kalman_desc *desc, const void *A,
                                                   const void *mp, const void *Pp, const void *mf,
                                                   const void *Pf, void *work, void *ms, void *Ps,
                                                   void *Pc, vdi_error *err);

/* ---- private: the kernels ----------------------------------------------------------------------
 * Lane matrices: arrays of vectors, a group of trials per lane (kalman_body.h). Strides count
 * vectors.
 */
/* Means of one lane over bins whose gains stay: matrices (d,ld), columns of the factor in rows,
 * ld a multiple of the lanes; vectors (bins,d), on the way back with the last bin first; scratch of
 * four times ld. */
typedef struct vdi__kalman_run {
    int64_t d, ld, bins;
    const void *a, *w, *p; /* A, W and Pf of the filter; Y' of the smoother in a */
    const void *c, *h;
    const void *before; /* mf of the bin before; ms of the bin behind */
    void *mp, *mf, *ms;
    void *work;
} vdi__kalman_run;

#define VDI__LINALG_KERNELS_KALMAN(X)                                                             \
    X(lanes, OWN, int64_t, (void))                                                                \
    X(lanes_load, OWN, void,                                                                      \
      (const void *from, int64_t count, int64_t step, int64_t n, const void *alive, int64_t d,    \
       void *to))                                                                                 \
    X(lanes_store, OWN, void,                                                                     \
      (void *to, int64_t count, int64_t step, int64_t n, const void *alive, const void *v))       \
    X(lanes_product, OWN, void,                                                                   \
      (int64_t rows, int64_t cols, int64_t inner, const vdi__matrix *a, const vdi__matrix *b,     \
       int sign, const void *base, void *c))                                                      \
    X(lanes_cholesky, OWN, bool,                                                                  \
      (int64_t d, void *a, const void *alive, void *product, void *good))                         \
    X(lanes_solve, OWN, void, (int64_t d, int64_t cols, const void *l, bool transposed, void *x)) \
    X(lanes_difference, OWN, void,                                                                \
      (int64_t count, const void *a, const void *b, const void *alive, void *out))                \
    X(lanes_mean, OWN, void,                                                                      \
      (int64_t d, const void *a, const void *alive, const void *other, void *out))                \
    X(lanes_twice, OWN, void, (int64_t T, const void *logs, void *out))                           \
    X(lanes_filter, OWN, void, (const vdi__kalman_run *o))                                        \
    X(lanes_smooth, OWN, void, (const vdi__kalman_run *o))

#endif /* VDI_LINALG_KALMAN_H */

#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_LINALG_KALMAN_C)
#define VDI_LINALG_KALMAN_C

enum { VDI__KALMAN_LANES = 16 }; /* at most */

/* Lane matrices of scratch: eight d x d, six d-vectors, and of every bin the log of its pivots'
 * product. */
VDI__DEF size_t vdi_kalman_worksize(const vdi_kalman_desc *desc) {
    if (desc->d < 1 || desc->T < 1 || desc->groups < 1 || desc->nrhs < 1 || desc->d > 4096)
        return SIZE_MAX;
    size_t d = (size_t)desc->d;
    size_t vectors = vdi_add_size(9 * d * d + 6 * d + 16, vdi_mul_size((size_t)desc->T, 1));
    vectors = vdi_add_size(vectors, vdi_mul_size((size_t)desc->nrhs, 2 * d + 1));
    const size_t run = 4 * (d + 1) * (d + VDI__KALMAN_LANES) * sizeof(double);
    return vdi_add_size(vdi_mul_size(vectors, 128), run + 2 * VDI_ALIGN);
}

/* One real per lane. */
typedef union vdi__kalman_lanes {
    float f32[VDI__KALMAN_LANES];
    double f64[VDI__KALMAN_LANES];
} vdi__kalman_lanes;

/* What a run knows; g and n are the groups of this round: the first, and how many from there on. */
typedef struct vdi__kalman {
    const vdi_kalman_desc *desc;
    const vdi__linalg_kernels *k;
    const char *where;
    char *free;        /* scratch that is left */
    size_t size, unit; /* bytes of a real, of a vector of lanes */
    int64_t lanes, d, dd, T, g, n;
    int64_t bad_group, bad_time; /* where a covariance was not positive definite; -1 */
    vdi__kalman_run run;         /* its matrices and scratch, in `fixed` */
    char *fixed;
    vdi__kalman_lanes alive, good;
    bool steady[VDI__KALMAN_LANES]; /* the lane's covariance is that of the bin before */
} vdi__kalman;

VDI__FN char *vdi__kalman_take(vdi__kalman *r, int64_t vectors) {
    char *p = r->free;
    r->free += (size_t)vectors * r->unit;
    return p;
}

VDI__FN vdi_status vdi__kalman_begin(vdi__kalman *r, const vdi_kalman_desc *desc, void *work,
                                     const char *where, vdi_error *err) {
    if (!vdi_dtype_is_real(desc->dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where, "dtype is %s, expected float32 or float64",
                             vdi_dtype_name(desc->dtype));
    }
    if (vdi_kalman_worksize(desc) == SIZE_MAX) {
        return vdi_error_set(
            err, VDI_ERR_ARGUMENT, where,
            "groups %lld, nrhs %lld, T %lld, d %lld: each must be at least 1 and d at most 4096",
            (long long)desc->groups, (long long)desc->nrhs, (long long)desc->T, (long long)desc->d);
    }
    memset(r, 0, sizeof *r);
    r->desc = desc;
    r->where = where;
    r->k = vdi__linalg_of(desc->dtype);
    r->lanes = r->k->lanes();
    r->size = vdi_dtype_size(desc->dtype);
    r->unit = r->size * (size_t)r->lanes;
    r->d = desc->d;
    r->dd = desc->d * desc->d;
    r->T = desc->T;
    r->bad_group = r->bad_time = -1;
    r->free = (char *)work + (VDI_ALIGN - (uintptr_t)work % VDI_ALIGN) % VDI_ALIGN;
    return VDI_OK;
}

VDI__FN vdi_status vdi__kalman_end(const vdi__kalman *r, vdi_error *err) {
    if (r->bad_group < 0) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_NOT_POSITIVE_DEFINITE, r->where,
                         "predicted covariance of group %lld at bin %lld is not positive definite",
                         (long long)r->bad_group, (long long)r->bad_time);
}

/* The length of a lane. */
VDI__FN int64_t vdi__kalman_length(const vdi__kalman *r, int64_t l) {
    return r->desc->lengths ? r->desc->lengths[r->g + VDI__MIN(l, r->n - 1)] : r->T;
}

/* Which lanes have bin t. */
VDI__FN void vdi__kalman_alive(const vdi__kalman *r, int64_t t, vdi__kalman_lanes *alive) {
    for (int64_t l = 0; l < r->lanes; l++) {
        const bool on = t < vdi__kalman_length(r, l);
        if (r->size == sizeof(float))
            alive->f32[l] = on;
        else
            alive->f64[l] = on;
    }
}

/* Cholesky factor in place; notes the first group whose bin t was not positive definite. */
VDI__FN void vdi__kalman_factor(vdi__kalman *r, char *a, int64_t t, const vdi__kalman_lanes *alive,
                                char *product) {
    if (r->k->lanes_cholesky(r->d, a, alive, product, &r->good)) return;
    for (int64_t l = 0; l < r->lanes && l < r->n && r->bad_group < 0; l++) {
        if (vdi_dtype_load(r->desc->dtype, &r->good, l) != 0) continue;
        if (vdi_dtype_load(r->desc->dtype, alive, l) == 0) continue;
        r->bad_group = r->g + l;
        r->bad_time = t;
    }
}

/* C (rows,cols) = base + sign * A B, where A is (rows,inner), or (inner,rows) if transposed */
VDI__FN void vdi__kalman_product(const vdi__kalman *r, int64_t cols, const char *a, bool transposed,
                                 const char *b, int sign, const char *base, char *c) {
    const vdi__matrix left = {a, transposed ? 1 : r->d, transposed ? r->d : 1};
    const vdi__matrix right = {b, cols, 1};
    r->k->lanes_product(r->d, cols, r->d, &left, &right, sign, base, c);
}

/* Places of bin t of this round: a covariance, and of right-hand side s a mean, in the caller's
 * arrays; and the way in and out. */
VDI__FN size_t vdi__kalman_cov(const vdi__kalman *r, int64_t t) {
    return (size_t)((r->g * r->T + t) * r->dd) * r->size;
}
VDI__FN size_t vdi__kalman_mean(const vdi__kalman *r, int64_t s, int64_t t) {
    return (size_t)(((s * r->desc->groups + r->g) * r->T + t) * r->d) * r->size;
}
VDI__FN void vdi__kalman_put(const vdi__kalman *r, void *array, size_t at, int64_t count,
                             const char *v) {
    r->k->lanes_store((char *)array + at, count, r->T * count, r->n, &r->alive, v);
}
VDI__FN void vdi__kalman_get(const vdi__kalman *r, const void *array, size_t at, int64_t count,
                             const void *alive, char *v) {
    r->k->lanes_load((const char *)array + at, count, r->T * count, r->n, alive, 0, v);
}

/* ---- steady covariances -------------------------------------------------------------------------
 * Where what comes in stays the same, a covariance soon moves by less than it is rounded by. It is
 * then kept as it is, lane by lane, so that the bits do not depend on which groups share a round;
 * and where all lanes are so, nothing is computed. */

VDI__FN bool vdi__kalman_is_alive(const vdi__kalman *r, const vdi__kalman_lanes *alive, int64_t l) {
    return r->size == sizeof(float) ? alive->f32[l] != 0 : alive->f64[l] != 0;
}

/* Is block t of lane l of x (G,T,d,d) the same as block `other`? */
VDI__FN bool vdi__kalman_same(const vdi__kalman *r, const void *x, int64_t l, int64_t t,
                              int64_t other) {
    const size_t block = (size_t)r->dd * r->size;
    const char *lane = (const char *)x + (size_t)((r->g + l) * r->T) * block;
    return memcmp(lane + (size_t)t * block, lane + (size_t)other * block, block) == 0;
}

/* Has lane l of v moved by no more than rounding from block t of x? */
VDI__FN bool vdi__kalman_near(const vdi__kalman *r, const void *x, int64_t l, int64_t t,
                              const char *v) {
    const int64_t first = ((r->g + l) * r->T + t) * r->dd;
    const bool single = r->size == sizeof(float);
    double largest = 0, moved = 0;
    for (int64_t i = 0; i < r->dd; i++) {
        const int64_t at = i * r->lanes + l;
        const double was = single ? ((const float *)x)[first + i] : ((const double *)x)[first + i];
        const double is =
            single ? ((const float *)(const void *)v)[at] : ((const double *)(const void *)v)[at];
        largest = VDI__MAX(largest, fabs(was));
        moved = VDI__MAX(moved, fabs(is - was));
    }
    return moved <= (single ? 1.2e-7 : 2.3e-16) * largest;
}

/* Lane l of v becomes block t of x. */
VDI__FN void vdi__kalman_take_block(const vdi__kalman *r, const void *x, int64_t l, int64_t t,
                                    char *v) {
    const int64_t first = ((r->g + l) * r->T + t) * r->dd;
    for (int64_t i = 0; i < r->dd; i++) {
        memcpy(v + (size_t)(i * r->lanes + l) * r->size,
               (const char *)x + (size_t)(first + i) * r->size, r->size);
    }
}

/* to (count,size) = as often what `from` holds: in copies that double. */
VDI__FN void vdi__kalman_fill(char *to, const char *from, size_t size, int64_t count) {
    const size_t all = size * (size_t)count;
    size_t done = VDI__MIN(size, all);
    memcpy(to, from, done);
    for (size_t next; done < all; done += next) {
        next = VDI__MIN(done, all - done);
        memcpy(to + done, to, next);
    }
}

/* Blocks t .. t + bins - 1 of every lane of x (G,T,d,d) become copies of block `from`. */
VDI__FN void vdi__kalman_repeat(const vdi__kalman *r, void *x, int64_t t, int64_t bins,
                                int64_t from, int64_t T) {
    const size_t block = (size_t)r->dd * r->size;
    for (int64_t l = 0; l < r->lanes && l < r->n; l++) {
        char *lane = (char *)x + (size_t)((r->g + l) * T) * block;
        vdi__kalman_fill(lane + (size_t)t * block, lane + (size_t)from * block, block, bins);
    }
}

/* ---- means where the gains stay ----------------------------------------------------------------
 * One lane and right-hand side at a time, the rows of a matrix side by side: each element is the
 * chain of products that it is in lanes, to the bit. */

/* Matrix number i of the run = lane l of v, or its transpose. */
VDI__FN const void *vdi__kalman_fix(vdi__kalman *r, int i, const char *v, int64_t l,
                                    bool transposed) {
    const int64_t d = r->d, ld = r->run.ld;
    char *to = r->fixed + (size_t)(i * d * ld) * r->size;
    for (int64_t k = 0; k < d; k++) {
        for (int64_t j = 0; j < d; j++) {
            const int64_t from = transposed ? j * d + k : k * d + j;
            memcpy(to + (size_t)(k * ld + j) * r->size, v + (size_t)(from * r->lanes + l) * r->size,
                   r->size);
        }
    }
    return to;
}

/* Scratch for it, behind all the rest. */
VDI__FN void vdi__kalman_take_run(vdi__kalman *r) {
    const int64_t d = r->d, ld = (d + r->lanes - 1) / r->lanes * r->lanes;
    r->fixed = r->free + (VDI_ALIGN - (uintptr_t)r->free % VDI_ALIGN) % VDI_ALIGN;
    memset(r->fixed, 0, (size_t)(4 * (d + 1) * ld) * r->size);
    r->run.d = d;
    r->run.ld = ld;
    r->run.work = r->fixed + (size_t)(4 * d * ld) * r->size;
}

/* The bins around t that the same lanes have: from *first on, until before *end. */
VDI__FN void vdi__kalman_same_alive(const vdi__kalman *r, int64_t t, int64_t *first, int64_t *end) {
    *first = 0;
    *end = r->T;
    for (int64_t l = 0; l < r->n && l < r->lanes; l++) {
        const int64_t length = vdi__kalman_length(r, l);
        if (length > t)
            *end = VDI__MIN(*end, length);
        else
            *first = VDI__MAX(*first, length);
    }
}

/* ---- filter ---------------------------------------------------------------------------------- */

typedef struct vdi__kalman_filter {
    const char *W, *h, *c;
    char *mp, *Pp, *mf, *Pf;
    /* lane matrices */
    char *a, *q, *eye, *p, *l, *w, *x, *g, *k, *m, *hv, *e, *logs, *state, *logdet;
} vdi__kalman_filter;

/* Is what lane l sees in bin t what it saw in the bin before? */
VDI__FN bool vdi__kalman_same_w(const vdi__kalman *r, const vdi__kalman_filter *f, int64_t l,
                                int64_t t) {
    return r->desc->shared_w || vdi__kalman_same(r, f->W, l, t, t - 1);
}

/* Does what comes in at bin t leave the covariances as they are? A lane that has ended and stays so
 * has none. */
VDI__FN bool vdi__kalman_filter_steady(vdi__kalman *r, const vdi__kalman_filter *f,
                                       const vdi__kalman_lanes *before, int64_t t) {
    bool all = t > 0;
    for (int64_t l = 0; t > 0 && l < r->lanes && l < r->n; l++) {
        const bool now = vdi__kalman_is_alive(r, &r->alive, l);
        const bool then = vdi__kalman_is_alive(r, before, l);
        if (!now || !then || !vdi__kalman_same_w(r, f, l, t)) r->steady[l] = false;
        all = all && (r->steady[l] || (!now && !then));
    }
    return all;
}

/* P, predicted, of the lanes that have become steady, or are, is that of the bin before. */
VDI__FN void vdi__kalman_filter_settle(vdi__kalman *r, const vdi__kalman_filter *f,
                                       const vdi__kalman_lanes *before, int64_t t) {
    for (int64_t l = 0; t > 1 && l < r->lanes && l < r->n; l++) {
        if (!vdi__kalman_is_alive(r, &r->alive, l) || !vdi__kalman_is_alive(r, before, l)) continue;
        if (!vdi__kalman_same_w(r, f, l, t)) continue;
        r->steady[l] = r->steady[l] || vdi__kalman_near(r, f->Pp, l, t - 1, f->p);
        if (r->steady[l]) vdi__kalman_take_block(r, f->Pp, l, t - 1, f->p);
    }
}

/* P holds Pf of the bin before: P = A P A' + Q, and from there this bin's gain K and Pf. */
VDI__FN void vdi__kalman_covariance(vdi__kalman *r, const vdi__kalman_filter *f, const void *Q0,
                                    const vdi__kalman_lanes *before, int64_t t) {
    const size_t at = vdi__kalman_cov(r, t), vector = r->unit;
    char *pivot = f->logs + (size_t)t * vector;
    if (t == 0) {
        r->k->lanes_load(Q0, r->dd, 0, 1, NULL, 0, f->p);
    } else {
        const vdi__matrix x = {f->x, r->d, 1}, at_transposed = {f->a, 1, r->d};
        vdi__kalman_product(r, r->d, f->a, false, f->p, 1, NULL, f->x);
        r->k->lanes_product(r->d, r->d, r->d, &x, &at_transposed, 1, f->q, f->p);
    }
    vdi__kalman_filter_settle(r, f, before, t);
    vdi__kalman_put(r, f->Pp, at, r->dd, f->p);
    if (r->desc->shared_w)
        r->k->lanes_load(f->W, r->dd, 0, r->n, &r->alive, 0, f->w);
    else
        vdi__kalman_get(r, f->W, at, r->dd, &r->alive, f->w);
    memcpy(f->l, f->p, (size_t)r->dd * vector);
    vdi__kalman_factor(r, f->l, t, &r->alive, pivot);
    /* G G' = I + L' W L,  K' = G^{-1} L',  Pf = K K' */
    vdi__kalman_product(r, r->d, f->w, false, f->l, 1, NULL, f->x);
    vdi__kalman_product(r, r->d, f->l, true, f->x, 1, f->eye, f->g);
    vdi__kalman_factor(r, f->g, t, &r->alive, pivot);
    vdi_log(r->desc->dtype, (size_t)r->lanes, pivot, pivot);
    for (int64_t i = 0; i < r->dd; i++) {
        memcpy(f->k + (size_t)i * vector, f->l + (size_t)(i % r->d * r->d + i / r->d) * vector,
               vector);
    }
    r->k->lanes_solve(r->d, r->d, f->g, false, f->k);
    vdi__kalman_product(r, r->d, f->k, true, f->k, 1, NULL, f->p);
    vdi__kalman_put(r, f->Pf, at, r->dd, f->p);
}

/* The mean of right-hand side s, from its mean of the bin before. */
VDI__FN void vdi__kalman_update(const vdi__kalman *r, const vdi__kalman_filter *f, int64_t s,
                                int64_t t) {
    const size_t at = vdi__kalman_mean(r, s, t);
    char *mf = f->state + (size_t)(s * r->d) * r->unit;
    vdi__kalman_get(r, f->c, at, r->d, NULL, f->m);
    if (t > 0) vdi__kalman_product(r, 1, f->a, false, mf, 1, f->m, f->m);
    vdi__kalman_get(r, f->h, at, r->d, &r->alive, f->hv);
    vdi__kalman_product(r, 1, f->w, false, f->m, -1, f->hv, f->e); /* e = h - W m */
    vdi__kalman_product(r, 1, f->p, false, f->e, 1, f->m, mf);     /* mf = m + Pf e */
    vdi__kalman_put(r, f->mp, at, r->d, f->m);
    vdi__kalman_put(r, f->mf, at, r->d, mf);
}

/* From bin t on, at which all lanes are steady: for how many bins? */
VDI__FN int64_t vdi__kalman_filter_stretch(const vdi__kalman *r, const vdi__kalman_filter *f,
                                           int64_t t) {
    int64_t first, last, end = t + 1;
    vdi__kalman_same_alive(r, t, &first, &last);
    if (r->desc->shared_w) return last - t;
    for (bool same = true; end < last; end++) {
        for (int64_t l = 0; same && l < r->lanes && l < r->n; l++)
            same = !r->steady[l] || vdi__kalman_same_w(r, f, l, end);
        if (!same) break;
    }
    return end - t;
}

/* The means of right-hand side s in lane l, and what the next bin needs of them. */
VDI__FN void vdi__kalman_filter_means(vdi__kalman *r, const vdi__kalman_filter *f, int64_t s,
                                      int64_t l, int64_t t, int64_t bins) {
    const size_t bin = (size_t)r->d * r->size, lane = (size_t)(l * r->T) * bin;
    const size_t at = vdi__kalman_mean(r, s, t) + lane, last = (size_t)(bins - 1) * bin;
    char *state = f->state + (size_t)(s * r->d) * r->unit;
    r->run.bins = bins;
    r->run.c = f->c + at;
    r->run.h = f->h + at;
    r->run.mp = f->mp + at;
    r->run.mf = f->mf + at;
    r->run.before = f->mf + at - bin;
    r->k->lanes_filter(&r->run);
    for (int64_t i = 0; i < r->d; i++) {
        for (int64_t k = l; k < r->lanes && (k == l || (l + 1 == r->n && k > l)); k++) {
            memcpy(state + (size_t)(i * r->lanes + k) * r->size,
                   f->mf + at + last + (size_t)i * r->size, r->size);
        }
    }
}

/* `bins` bins of which all lanes are steady. */
VDI__FN void vdi__kalman_filter_run(vdi__kalman *r, const vdi__kalman_filter *f, int64_t t,
                                    int64_t bins) {
    const size_t bin = (size_t)r->d * r->size;
    vdi__kalman_repeat(r, f->Pp, t, bins, t - 1, r->T);
    vdi__kalman_repeat(r, f->Pf, t, bins, t - 1, r->T);
    char *logs = f->logs + (size_t)t * r->unit;
    vdi__kalman_fill(logs, logs - r->unit, r->unit, bins);
    for (int64_t l = 0; l < r->lanes && l < r->n; l++) {
        const bool alive = vdi__kalman_is_alive(r, &r->alive, l);
        for (int64_t s = 0; !alive && s < r->desc->nrhs; s++) {
            const size_t at = vdi__kalman_mean(r, s, t) + (size_t)(l * r->T) * bin;
            memset(f->mp + at, 0, (size_t)bins * bin);
            memset(f->mf + at, 0, (size_t)bins * bin);
        }
        if (!alive) continue;
        r->run.a = vdi__kalman_fix(r, 0, f->a, l, true);
        r->run.w = vdi__kalman_fix(r, 1, f->w, l, true);
        r->run.p = vdi__kalman_fix(r, 2, f->p, l, true);
        for (int64_t s = 0; s < r->desc->nrhs; s++)
            vdi__kalman_filter_means(r, f, s, l, t, bins);
    }
}

VDI__DEF vdi_status vdi_kalman_filter(const vdi_kalman_desc *desc, const void *A, const void *Q,
                                      const void *Q0, const void *W, const void *h, const void *c,
                                      void *work, void *mp, void *Pp, void *mf, void *Pf,
                                      void *logdet, vdi_error *err) {
    vdi__kalman r;
    vdi__kalman_filter f = VDI__ZERO;
    const int64_t d = desc->d, dd = d * d, T = desc->T, nrhs = desc->nrhs;
    vdi_status status = vdi__kalman_begin(&r, desc, work, "vdi_kalman_filter", err);
    if (status < 0) return status;
    f.W = (const char *)W;
    f.h = (const char *)h;
    f.c = (const char *)c;
    f.mp = (char *)mp;
    f.Pp = (char *)Pp;
    f.mf = (char *)mf;
    f.Pf = (char *)Pf;
    char **const matrix[] = {&f.a, &f.q, &f.eye, &f.p, &f.l, &f.w, &f.x, &f.g, &f.k};
    char **const vector[] = {&f.m, &f.hv, &f.e};
    for (size_t i = 0; i < VDI__COUNT(matrix); i++)
        *matrix[i] = vdi__kalman_take(&r, dd);
    for (size_t i = 0; i < VDI__COUNT(vector); i++)
        *vector[i] = vdi__kalman_take(&r, d);
    f.logs = vdi__kalman_take(&r, T);
    f.state = vdi__kalman_take(&r, nrhs * d);
    f.logdet = vdi__kalman_take(&r, 1);
    vdi__kalman_take_run(&r);
    memset(&r.alive, 0, sizeof r.alive);
    r.k->lanes_load(A, dd, 0, 1, NULL, 0, f.a);
    r.k->lanes_load(Q, dd, 0, 1, NULL, 0, f.q);
    r.k->lanes_load(A, dd, 0, 1, &r.alive, d, f.eye); /* no lane is alive */
    for (r.g = 0; r.g < desc->groups; r.g += r.lanes) {
        r.n = desc->groups - r.g;
        memset(r.steady, 0, sizeof r.steady);
        for (int64_t t = 0; t < T; t++) {
            const vdi__kalman_lanes before = r.alive;
            vdi__kalman_alive(&r, t, &r.alive);
            if (vdi__kalman_filter_steady(&r, &f, &before, t)) {
                const int64_t bins = vdi__kalman_filter_stretch(&r, &f, t);
                vdi__kalman_filter_run(&r, &f, t, bins);
                t += bins - 1;
                continue;
            }
            vdi__kalman_covariance(&r, &f, Q0, &before, t);
            for (int64_t s = 0; s < nrhs; s++)
                vdi__kalman_update(&r, &f, s, t);
        }
        /* the products are square roots of determinants, so their logs count twice */
        r.k->lanes_twice(T, f.logs, f.logdet);
        vdi__kalman_alive(&r, -1, &r.alive);
        r.k->lanes_store((char *)logdet + (size_t)r.g * r.size, 1, 1, r.n, &r.alive, f.logdet);
    }
    return vdi__kalman_end(&r, err);
}

/* ---- smoother -------------------------------------------------------------------------------- */

typedef struct vdi__kalman_smoother {
    const char *mp, *Pp, *mf, *Pf;
    char *ms, *Ps, *Pc;
    vdi__kalman_lanes next;  /* lanes with a bin ahead; others are their own smoothed state */
    vdi__kalman_lanes after; /* lanes with two */
    /* lane matrices */
    char *a, *pp, *l, *pf, *y, *x, *ps, *diff, *m, *p, *product;
} vdi__kalman_smoother;

/* Lanes whose inputs at bin t are those of the bin after, where Pf and the predictions of the two
 * bins ahead are the same. */
VDI__FN bool vdi__kalman_smoother_same(const vdi__kalman *r, const vdi__kalman_smoother *f,
                                       int64_t l, int64_t t) {
    return t + 2 < r->T && vdi__kalman_is_alive(r, &f->next, l) &&
           vdi__kalman_is_alive(r, &f->after, l) && vdi__kalman_same(r, f->Pf, l, t, t + 1) &&
           vdi__kalman_same(r, f->Pp, l, t + 1, t + 2);
}

VDI__FN bool vdi__kalman_smoother_steady(vdi__kalman *r, const vdi__kalman_smoother *f, int64_t t) {
    bool all = t + 2 < r->T;
    for (int64_t l = 0; l < r->lanes && l < r->n; l++) {
        const bool idle = !vdi__kalman_is_alive(r, &r->alive, l); /* its end is not reached yet */
        if (!idle && !(r->steady[l] && vdi__kalman_smoother_same(r, f, l, t))) r->steady[l] = false;
        all = all && (idle || r->steady[l]);
    }
    return all;
}

/* Ps of the lanes that have become steady, or are, is that of the bin after. */
VDI__FN void vdi__kalman_smoother_settle(vdi__kalman *r, const vdi__kalman_smoother *f, int64_t t) {
    for (int64_t l = 0; l < r->lanes && l < r->n; l++) {
        if (!vdi__kalman_is_alive(r, &r->alive, l) || !vdi__kalman_smoother_same(r, f, l, t))
            continue;
        r->steady[l] = r->steady[l] || vdi__kalman_near(r, f->Ps, l, t + 1, f->ps);
        if (r->steady[l]) vdi__kalman_take_block(r, f->Ps, l, t + 1, f->ps);
    }
}

/* Y = Pp^{-1} A Pf is the transposed gain; Pc = Ps_{t+1} Y, Ps = Pf + Y' D Y */
VDI__FN void vdi__kalman_smooth_covariance(vdi__kalman *r, const vdi__kalman_smoother *f,
                                           int64_t t) {
    const size_t at = vdi__kalman_cov(r, t), block = (size_t)r->dd * r->size;
    const int64_t d = r->d, pairs = (r->T - 1) * r->dd;
    vdi__kalman_get(r, f->Pf, at, r->dd, NULL, f->pf);
    if (t + 1 == r->T) {
        memcpy(f->ps, f->pf, (size_t)r->dd * r->unit);
    } else {
        r->k->lanes_load(f->Pp + at + block, r->dd, r->T * r->dd, r->n, &f->next, d, f->pp);
        memcpy(f->l, f->pp, (size_t)r->dd * r->unit);
        r->k->lanes_difference(r->dd, f->ps, f->pp, &f->next, f->diff);
        vdi__kalman_factor(r, f->l, t + 1, &f->next, f->product);
        vdi__kalman_product(r, d, f->a, false, f->pf, 1, NULL, f->y);
        r->k->lanes_solve(d, d, f->l, false, f->y);
        r->k->lanes_solve(d, d, f->l, true, f->y);
        vdi__kalman_product(r, d, f->ps, false, f->y, 1, NULL, f->x);
        if (f->Pc) {
            r->k->lanes_store(f->Pc + (size_t)(r->g * pairs + t * r->dd) * r->size, r->dd, pairs,
                              r->n, &f->next, f->x);
        }
        vdi__kalman_product(r, d, f->diff, false, f->y, 1, NULL, f->x);
        vdi__kalman_product(r, d, f->y, true, f->x, 1, f->pf, f->pp);
        r->k->lanes_mean(d, f->pp, &f->next, f->pf, f->ps);
        vdi__kalman_smoother_settle(r, f, t);
    }
    vdi__kalman_put(r, f->Ps, at, r->dd, f->ps);
}

VDI__FN void vdi__kalman_smooth_mean(const vdi__kalman *r, const vdi__kalman_smoother *f, int64_t s,
                                     int64_t t) {
    const size_t at = vdi__kalman_mean(r, s, t), ahead = at + (size_t)r->d * r->size;
    vdi__kalman_get(r, f->mf, at, r->d, NULL, f->m);
    if (t + 1 < r->T) { /* X is free: the smoothed state ahead, less its prediction */
        vdi__kalman_get(r, f->ms, ahead, r->d, NULL, f->x);
        vdi__kalman_get(r, f->mp, ahead, r->d, NULL, f->p);
        r->k->lanes_difference(r->d, f->x, f->p, &f->next, f->p);
        vdi__kalman_product(r, 1, f->y, true, f->p, 1, f->m, f->m);
    }
    vdi__kalman_put(r, f->ms, at, r->d, f->m);
}

/* From bin t back, at which all lanes are steady: for how many bins? */
VDI__FN int64_t vdi__kalman_smoother_stretch(const vdi__kalman *r, const vdi__kalman_smoother *f,
                                             int64_t t) {
    int64_t first = t, least, end;
    vdi__kalman_same_alive(r, t, &least, &end);
    for (bool same = true; first > least; first--) {
        for (int64_t l = 0; same && l < r->lanes && l < r->n; l++)
            same = !r->steady[l] || vdi__kalman_smoother_same(r, f, l, first - 1);
        if (!same) break;
    }
    return t - first + 1;
}

/* Bins t - bins + 1 .. t, of which all lanes are steady: their gain is there. */
VDI__FN void vdi__kalman_smoother_run(vdi__kalman *r, const vdi__kalman_smoother *f, int64_t t,
                                      int64_t bins) {
    const size_t bin = (size_t)r->d * r->size;
    const int64_t first = t - bins + 1;
    vdi__kalman_repeat(r, f->Ps, first, bins, t + 1, r->T);
    if (f->Pc) vdi__kalman_repeat(r, f->Pc, first, bins, t + 1, r->T - 1);
    for (int64_t l = 0; l < r->lanes && l < r->n; l++) {
        const bool alive = vdi__kalman_is_alive(r, &r->alive, l);
        if (alive) r->run.a = vdi__kalman_fix(r, 0, f->y, l, false);
        for (int64_t s = 0; s < r->desc->nrhs; s++) {
            const size_t lane = (size_t)(l * r->T) * bin;
            const size_t at = vdi__kalman_mean(r, s, t) + lane;
            if (!alive) {
                memset(f->ms + vdi__kalman_mean(r, s, first) + lane, 0, (size_t)bins * bin);
                continue;
            }
            r->run.bins = bins;
            r->run.before = f->ms + at + bin;
            r->run.c = f->mp + at + bin; /* predictions of the bins behind */
            r->run.h = f->mf + at;
            r->run.ms = f->ms + at;
            r->k->lanes_smooth(&r->run);
        }
    }
}

VDI__DEF vdi_status vdi_kalman_smooth(const vdi_kalman_desc *desc, const void *A, const void *mp,
                                      const void *Pp, const void *mf, const void *Pf, void *work,
                                      void *ms, void *Ps, void *Pc, vdi_error *err) {
    vdi__kalman r;
    vdi__kalman_smoother f = VDI__ZERO;
    const int64_t d = desc->d, dd = d * d;
    vdi_status status = vdi__kalman_begin(&r, desc, work, "vdi_kalman_smooth", err);
    if (status < 0) return status;
    f.mp = (const char *)mp;
    f.Pp = (const char *)Pp;
    f.mf = (const char *)mf;
    f.Pf = (const char *)Pf;
    f.ms = (char *)ms;
    f.Ps = (char *)Ps;
    f.Pc = (char *)Pc;
    char **const matrix[] = {&f.a, &f.pp, &f.l, &f.pf, &f.y, &f.x, &f.ps, &f.diff};
    char **const vector[] = {&f.m, &f.p, &f.product};
    for (size_t i = 0; i < VDI__COUNT(matrix); i++)
        *matrix[i] = vdi__kalman_take(&r, dd);
    for (size_t i = 0; i < VDI__COUNT(vector); i++)
        *vector[i] = vdi__kalman_take(&r, d);
    vdi__kalman_take_run(&r);
    r.k->lanes_load(A, dd, 0, 1, NULL, 0, f.a);
    for (r.g = 0; r.g < desc->groups; r.g += r.lanes) {
        r.n = desc->groups - r.g;
        memset(&f.next, 0, sizeof f.next);
        memset(&f.after, 0, sizeof f.after);
        memset(r.steady, 0, sizeof r.steady);
        for (int64_t t = desc->T - 1; t >= 0; t--) {
            vdi__kalman_alive(&r, t, &r.alive);
            if (vdi__kalman_smoother_steady(&r, &f, t)) { /* the lanes ahead stay as they are */
                const int64_t bins = vdi__kalman_smoother_stretch(&r, &f, t);
                vdi__kalman_smoother_run(&r, &f, t, bins);
                t -= bins - 1;
                continue;
            }
            vdi__kalman_smooth_covariance(&r, &f, t);
            for (int64_t s = 0; s < desc->nrhs; s++)
                vdi__kalman_smooth_mean(&r, &f, s, t);
            f.after = f.next;
            f.next = r.alive;
        }
    }
    return vdi__kalman_end(&r, err);
}
#endif
