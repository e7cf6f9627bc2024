/* model/score/latents.h - the latents of two fits compared, and a variable decoded from them
 *
 * Do this:
 *     double *work = malloc(vdi_score_latents_work(d, n) * sizeof *work);
 *     vdi_score_procrustes(rows, d, x, reference, work, rotation, aligned, &r2, &err);
 *     vdi_score_shared_variance(rows, d, x, n, y, work, per_latent, &shared, &err);
 *     vdi_score_decode how = {0};
 *     how.each = T;                                       rows of a trial
 *     vdi_score_ridge(&how, rows, d, x, n, position, work, decoded, &r2, &err);
 *
 * Latents are determined up to an invertible map at best. Procrustes alignment rotates, reflects,
 * scales and shifts one set so that it is nearest to the other. Shared variance is the share of the
 * variance of an array that is a linear function of the latents, and what each latent adds to those
 * before it. Ridge regression decodes trials with weights from the other trials. Arrays are
 * row-major float64, a row per bin, trial after trial. Rows with a NaN are left out.
 * Memory: none is allocated; `work` holds vdi_score_latents_work(d, n) numbers. Errors: statuses.
 * Threads: all functions are pure. Source: Schoenemann 1966; Hoerl and Kennard 1970.
 * What it does not do: alignment of latents of different numbers, nested choice of the ridge.
 */
#ifndef VDI_MODEL_SCORE_LATENTS_H
#define VDI_MODEL_SCORE_LATENTS_H
#include "score.h"

/** How to decode. */
typedef struct vdi_score_decode {
    int64_t folds; /**< 0: 5 */
    int64_t each;  /**< rows of a trial: row r is held out in fold (r / each) modulo folds; 0: 1 */
    double ridge;  /**< in units of each latent's sum of squares, times the latents; 0: 1e-4 */
} vdi_score_decode;

/** Numbers of `work`; SIZE_MAX if no size holds them. */
VDI_API size_t vdi_score_latents_work(int64_t d, int64_t n);
/** aligned (rows,d) = scale (x - mean x) G + mean reference, nearest to reference (rows,d) by least
 * squares, with an orthogonal G (d,d), which `rotation` receives if it is not NULL; *r2 of it.
 * `aligned` may be NULL, or x. VDI_ERR_DATA if one of the two does not vary. */
VDI_API VDI_NODISCARD vdi_status vdi_score_procrustes(int64_t rows, int64_t d, const double *x,
                                                      const double *reference, double *work,
                                                      double *rotation, double *aligned, double *r2,
                                                      vdi_error *err);
/** The share of the variance of y (rows,n) that an affine function of x (rows,d) explains, all
 * columns together; per_latent (d), if not NULL: what each latent adds to those before it. A latent
 * that is a function of those before it adds 0. VDI_ERR_DATA if y does not vary. */
VDI_API VDI_NODISCARD vdi_status vdi_score_shared_variance(int64_t rows, int64_t d, const double *x,
                                                           int64_t n, const double *y, double *work,
                                                           double *per_latent, double *shared,
                                                           vdi_error *err);
/** truth (rows,n) from x (rows,d), each fold by ridge regression on the others: decoded (rows,n),
 * NaN where x is, and *r2, weighted by variance. VDI_ERR_DATA if a fold leaves too little. */
VDI_API VDI_NODISCARD vdi_status vdi_score_ridge(const vdi_score_decode *how, int64_t rows,
                                                 int64_t d, const double *x, int64_t n,
                                                 const double *truth, double *work, double *decoded,
                                                 double *r2, vdi_error *err);

#endif /* VDI_MODEL_SCORE_LATENTS_H */

#if defined(VDI__BODIES) && defined(VDI_SCORE_IMPLEMENTATION) && !defined(VDI_MODEL_SCORE_LATENTS_C)
#define VDI_MODEL_SCORE_LATENTS_C

/* Products of two sets about their means. */
typedef struct vdi__score_products {
    int64_t d, n;
    double count;
    double *xm, *ym;      /* (d), (n): means */
    double *xx, *xy, *yy; /* (d,d), (d,n), and (n): of each column of y */
    double *rest;         /* what is left of work */
} vdi__score_products;

VDI__DEF size_t vdi_score_latents_work(int64_t d, int64_t n) {
    const int64_t most = VDI__MAX(n, d);
    const size_t pairs = vdi_add_size(vdi_array_size(1, d, d, 5), vdi_array_size(1, d, most, 1));
    return vdi_add_size(pairs,
                        vdi_add_size(vdi_array_size(1, d, 3, 1), vdi_array_size(1, most, 2, 1)));
}

/* Of the rows that `fold` does not hold out; -1: of all. */
typedef struct vdi__score_rows {
    int64_t rows, each, folds, fold;
} vdi__score_rows;

VDI__FN bool vdi__score_products_has(const vdi__score_rows *w, const vdi__score_products *p,
                                     const double *x, const double *y, int64_t r) {
    const bool held = w->fold >= 0 && r / w->each % w->folds == w->fold;
    return !held && vdi__score_row(p->d, x + r * p->d) && vdi__score_row(p->n, y + r * p->n);
}

VDI__FN vdi__score_products vdi__score_products_of(const vdi__score_rows *w, int64_t d,
                                                   const double *x, int64_t n, const double *y,
                                                   double *work) {
    vdi__score_products p;
    p.d = d;
    p.n = n;
    p.count = 0;
    p.xm = work;
    p.ym = p.xm + d;
    p.yy = p.ym + n;
    p.xx = p.yy + n;
    p.xy = p.xx + d * d;
    p.rest = p.xy + d * n;
    memset(work, 0, (size_t)(p.rest - work) * sizeof *work);
    for (int64_t r = 0; r < w->rows; r++) {
        if (!vdi__score_products_has(w, &p, x, y, r)) continue;
        vdi_axpby(VDI_F64, (size_t)d, 1, x + r * d, 1, p.xm);
        vdi_axpby(VDI_F64, (size_t)n, 1, y + r * n, 1, p.ym);
        p.count += 1;
    }
    for (int64_t i = 0; i < d + n; i++)
        p.xm[i] /= p.count > 0 ? p.count : 1; /* ym is behind xm */
    for (int64_t r = 0; r < w->rows; r++) {
        if (!vdi__score_products_has(w, &p, x, y, r)) continue;
        for (int64_t i = 0; i < d; i++) {
            const double e = x[r * d + i] - p.xm[i];
            for (int64_t k = 0; k < d; k++)
                p.xx[i * d + k] += e * (x[r * d + k] - p.xm[k]);
            for (int64_t j = 0; j < n; j++)
                p.xy[i * n + j] += e * (y[r * n + j] - p.ym[j]);
        }
        for (int64_t j = 0; j < n; j++)
            p.yy[j] += (y[r * n + j] - p.ym[j]) * (y[r * n + j] - p.ym[j]);
    }
    return p;
}

VDI__FN double vdi__score_trace(int64_t n, const double *x, int64_t step) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i * step];
    return sum;
}

/* ---- alignment ------------------------------------------------------------------------------- */

VDI__DEF vdi_status vdi_score_procrustes(int64_t rows, int64_t d, const double *x,
                                         const double *reference, double *work, double *rotation,
                                         double *aligned, double *r2, vdi_error *err) {
    const vdi__score_rows all = {rows, 1, 1, -1};
    const size_t D = (size_t)d;
    const vdi__score_products p = vdi__score_products_of(&all, d, x, d, reference, work);
    const double of_x = vdi__score_trace(d, p.xx, d + 1), of_y = vdi__score_trace(d, p.yy, 1);
    double *U = p.rest, *Vt = U + d * d, *G = Vt + d * d, *s = G + d * d, *row = s + d;
    if (!(of_x > 0) || !(of_y > 0)) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_score_procrustes", "%s over %g complete rows",
                             of_x > 0 ? "the reference does not vary" : "the latents do not vary",
                             p.count);
    }
    const vdi_status status = vdi_svd(VDI_F64, D, D, p.xy, D, U, s, Vt, row + d, err);
    if (status < 0) return status;
    vdi_gemm(VDI_F64, 0, D, D, D, U, D, Vt, D, G, D);
    if (rotation) memcpy(rotation, G, D * D * sizeof *G);
    const double strength = vdi__score_trace(d, s, 1), scale = strength / of_x;
    *r2 = strength * strength / (of_x * of_y);
    for (int64_t r = 0; aligned && r < rows; r++) {
        for (int64_t j = 0; j < d; j++) {
            row[j] = p.ym[j];
            for (int64_t i = 0; i < d; i++)
                row[j] += scale * (x[r * d + i] - p.xm[i]) * G[i * d + j];
        }
        memcpy(aligned + r * d, row, D * sizeof *row);
    }
    return VDI_OK;
}

/* ---- shared variance ------------------------------------------------------------------------- */

VDI__DEF vdi_status vdi_score_shared_variance(int64_t rows, int64_t d, const double *x, int64_t n,
                                              const double *y, double *work, double *per_latent,
                                              double *shared, vdi_error *err) {
    const vdi__score_rows all = {rows, 1, 1, -1};
    const vdi__score_products p = vdi__score_products_of(&all, d, x, n, y, work);
    const double total = vdi__score_trace(n, p.yy, 1);
    if (!(total > 0)) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_score_shared_variance",
                             "y does not vary over %g complete rows", p.count);
    }
    *shared = 0;
    /* Gauss: what is left of each latent once those before it are known */
    for (int64_t k = 0; k < d; k++) {
        const double own = p.xx[k * d + k];
        double adds = 0;
        for (int64_t j = 0; j < n; j++)
            adds += p.xy[k * n + j] * p.xy[k * n + j];
        const bool there = own > 0;
        adds = there ? adds / (own * total) : 0;
        if (per_latent) per_latent[k] = adds;
        *shared += adds;
        for (int64_t i = k + 1; there && i < d; i++) {
            const double f = p.xx[i * d + k] / own, was = p.xx[i * d + i];
            for (int64_t l = k + 1; l < d; l++)
                p.xx[i * d + l] -= f * p.xx[k * d + l];
            for (int64_t j = 0; j < n; j++)
                p.xy[i * n + j] -= f * p.xy[k * n + j];
            if (!(p.xx[i * d + i] > 1e-12 * was)) p.xx[i * d + i] = 0;
        }
    }
    return VDI_OK;
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* The map (d,n) into p.xy; false if there is too little for it. */
VDI__FN bool vdi__score_ridge_fit(const vdi__score_products *p, double ridge) {
    const size_t d = (size_t)p->d, n = (size_t)p->n;
    if (!(p->count > 1)) return false;
    for (int64_t i = 0; i < p->d; i++) {
        double *own = p->xx + i * (p->d + 1);
        *own = *own > 0 ? *own * (1 + ridge) : 1; /* what never moves says nothing */
    }
    if (vdi_cholesky(VDI_F64, d, p->xx, d, NULL) < 0) return false;
    vdi_cholesky_solve(VDI_F64, d, n, p->xx, d, p->xy, n);
    return true;
}

VDI__DEF vdi_status vdi_score_ridge(const vdi_score_decode *how, int64_t rows, int64_t d,
                                    const double *x, int64_t n, const double *truth, double *work,
                                    double *decoded, double *r2, vdi_error *err) {
    static const char where[] = "vdi_score_ridge";
    const double ridge = (how->ridge > 0 ? how->ridge : 1e-4) * (double)d;
    vdi__score_rows w = {rows, how->each > 0 ? how->each : 1, how->folds > 0 ? how->folds : 5, 0};
    if (w.folds < 2 || rows <= w.each) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "%lld folds of %lld rows, %lld at a time: expected two or more",
                             (long long)w.folds, (long long)rows, (long long)w.each);
    }
    for (; w.fold < w.folds; w.fold++) {
        const vdi__score_products p = vdi__score_products_of(&w, d, x, n, truth, work);
        if (!vdi__score_ridge_fit(&p, ridge)) {
            return vdi_error_set(err, VDI_ERR_DATA, where,
                                 "fold %lld leaves %g complete rows to learn from",
                                 (long long)w.fold, p.count);
        }
        for (int64_t r = 0; r < rows; r++) {
            if (r / w.each % w.folds != w.fold) continue;
            for (int64_t j = 0; j < n; j++) {
                double sum = p.ym[j];
                for (int64_t i = 0; i < d; i++)
                    sum += (x[r * d + i] - p.xm[i]) * p.xy[i * n + j];
                decoded[r * n + j] = sum;
            }
        }
    }
    return vdi_score_r2(rows, n, truth, decoded, NULL, r2, err);
}
#endif
