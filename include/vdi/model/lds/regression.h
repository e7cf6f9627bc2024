/* model/lds/regression.h - linear regression from sums of products, as the M-steps of lds and plds
 * do it, and covariances with no eigenvalue below a floor
 *
 *     theta = argmin sum |y - theta x|^2    from  yy = sum y y', yx = sum y x', xx = sum x x'
 *     V     = (yy - theta yx' - yx theta' + theta xx theta') / count
 *
 * Nothing public. Some columns of theta may stay as they are: they move to the left-hand side. The
 * sums may be about the means of x and y, which are then given beside them: where the means are
 * large (latents at 1e8 that move by 1), sums about 0 hold no digit of what moves. Without a
 * constant term the means are one more pair (x, y), count times over; a reflection that puts x on
 * the first axis keeps its square, which may be 1e16 times the rest, in one element.
 */
#ifndef VDI_MODEL_LDS_REGRESSION_H
#define VDI_MODEL_LDS_REGRESSION_H
#include "../../linalg/table.h"
#include "parameters.h"
#endif /* VDI_MODEL_LDS_REGRESSION_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_REGRESSION_C)
#define VDI_MODEL_LDS_REGRESSION_C

typedef struct vdi__regression {
    int64_t rows, K;      /* of y and of x */
    double count;         /* pairs summed */
    double *yy, *yx, *xx; /* (rows,rows), (rows,K), (K,K) */
    bool centred;         /* they are about mean_x and mean_y; else about 0 */
    bool constant;        /* y = theta x + a constant that is sought too; needs `centred` */
    double *mean_x;       /* (K) */
    double *mean_y;       /* (rows) */
    bool *free_column;    /* (K): the columns that are sought */
    double *normal;       /* (K,K) scratch */
    double *work;         /* (rows,K) scratch */
    double *reflector;    /* (K) scratch */
} vdi__regression;

/* Memory for all of it; `diagonal`: of yy only (rows). */
VDI__FN void vdi__regression_take(vdi__regression *g, int64_t rows, int64_t K, bool diagonal,
                                  vdi_arena *arena, bool *ok) {
    const size_t r = (size_t)rows, k = (size_t)K;
    g->rows = rows;
    g->K = K;
    g->yy = vdi__take_reals(arena, diagonal ? r : vdi_mul_size(r, r), ok);
    g->yx = vdi__take_reals(arena, vdi_mul_size(r, k), ok);
    g->xx = vdi__take_reals(arena, vdi_mul_size(k, k), ok);
    g->normal = vdi__take_reals(arena, vdi_mul_size(k, k), ok);
    g->work = vdi__take_reals(arena, vdi_mul_size(r, k), ok);
    g->mean_x = vdi__take_reals(arena, k, ok);
    g->mean_y = vdi__take_reals(arena, r, ok);
    g->reflector = vdi__take_reals(arena, k, ok);
    g->free_column = (bool *)vdi_arena_calloc(arena, k * sizeof *g->free_column);
    if (!g->free_column) *ok = false;
}

VDI__FN void vdi__symmetrise(int64_t n, double *a) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < i; j++)
            a[i * n + j] = a[j * n + i] = 0.5 * (a[i * n + j] + a[j * n + i]);
    }
}

/* C (m,n) += A' B over `rows` rows */
VDI__FN void vdi__add_products(int64_t m, int64_t n, int64_t rows, const double *a, int64_t lda,
                               const double *b, int64_t ldb, double *c, int64_t ldc) {
    if (rows > 0 && m > 0 && n > 0) {
        vdi_gemm(VDI_F64, VDI_GEMM_TA | VDI_GEMM_ACC, (size_t)m, (size_t)n, (size_t)rows, a,
                 (size_t)lda, b, (size_t)ldb, c, (size_t)ldc);
    }
}

/* sum (n) += the rows of x: short ones, for which no call is worth while */
VDI__FN void vdi__add_rows(int64_t rows, int64_t n, const double *x, double *sum) {
    for (int64_t i = 0; i < n; i++) {
        double even = 0, odd = 0; /* two, since each sum waits for the last */
        for (int64_t r = 0; r + 1 < rows; r += 2) {
            even += x[r * n + i];
            odd += x[(r + 1) * n + i];
        }
        if (rows % 2) even += x[(rows - 1) * n + i];
        sum[i] += even + odd;
    }
}

/* The normal equations of the free columns into normal (f,f) and work (rows,f); returns f. */
VDI__FN int64_t vdi__normal_equations(const vdi__regression *g, const double *theta) {
    const int64_t K = g->K;
    int64_t f = 0;
    for (int64_t i = 0; i < K; i++)
        f += g->free_column[i];
    for (int64_t i = 0, r = 0; i < K; i++) {
        if (!g->free_column[i]) continue;
        for (int64_t j = 0, c = 0; j < K; j++)
            if (g->free_column[j]) g->normal[r * f + c++] = g->xx[i * K + j];
        r++;
    }
    for (int64_t r = 0; r < g->rows; r++) {
        for (int64_t i = 0, c = 0; i < K; i++) {
            if (!g->free_column[i]) continue;
            double x = g->yx[r * K + i];
            for (int64_t j = 0; j < K; j++)
                if (!g->free_column[j]) x -= theta[r * K + j] * g->xx[j * K + i];
            g->work[r * f + c++] = x;
        }
    }
    return f;
}

/* The means' pair is there: the sums are about it, and no constant takes it up. */
VDI__FN bool vdi__regression_has_level(const vdi__regression *g) {
    return g->centred && !g->constant;
}

/* What theta leaves of mean_y[r]; `fixed`: by its fixed columns alone. */
VDI__FN double vdi__regression_level(const vdi__regression *g, const double *theta, int64_t r,
                                     bool fixed) {
    double e = g->mean_y[r];
    for (int64_t k = 0; k < g->K; k++)
        if (!fixed || !g->free_column[k]) e -= theta[r * g->K + k] * g->mean_x[k];
    return e;
}

/* X (rows,f) = X H, H = I - 2 v v' / v'v */
VDI__FN void vdi__reflect(int64_t rows, int64_t f, const double *v, double *X) {
    const size_t F = (size_t)f;
    const double scale = 2 / vdi_dot(VDI_F64, F, v, v);
    for (int64_t r = 0; r < rows; r++)
        vdi_axpby(VDI_F64, F, -scale * vdi_dot(VDI_F64, F, v, X + r * f), v, 1, X + r * f);
}

/* The normal equations take up the means' pair, in coordinates of x in which its mean lies on the
 * first axis. False: there is no such pair, and nothing to turn back. */
VDI__FN bool vdi__add_level(const vdi__regression *g, const double *theta, int64_t f) {
    double *v = g->reflector, *X = g->normal;
    if (!vdi__regression_has_level(g)) return false;
    for (int64_t i = 0, c = 0; i < g->K; i++)
        if (g->free_column[i]) v[c++] = g->mean_x[i];
    const double length = sqrt(vdi_dot(VDI_F64, (size_t)f, v, v));
    const double first = v[0] < 0 ? length : -length; /* of H mean */
    if (!(length > 0)) return false;
    v[0] -= first;
    vdi__reflect(f, f, v, X); /* H X H: rows, then columns */
    for (int64_t i = 0; i < f; i++) {
        for (int64_t j = 0; j < i; j++) {
            const double x = X[i * f + j];
            X[i * f + j] = X[j * f + i];
            X[j * f + i] = x;
        }
    }
    vdi__reflect(f, f, v, X);
    vdi__reflect(g->rows, f, v, g->work);
    X[0] += g->count * length * length;
    for (int64_t r = 0; r < g->rows; r++)
        g->work[r * f] += g->count * first * vdi__regression_level(g, theta, r, true);
    return true;
}

/* theta (rows,K): its free columns become the best; `what` names them in the message. */
VDI__FN vdi_status vdi__regress(const vdi__regression *g, const char *what, double *theta,
                                vdi_error *err) {
    const int64_t f = vdi__normal_equations(g, theta);
    const size_t F = (size_t)f, rows = (size_t)g->rows;
    vdi_error inner = VDI__ZERO;
    if (f == 0) return VDI_OK;
    const bool reflected = vdi__add_level(g, theta, f);
    if (vdi_cholesky(VDI_F64, F, g->normal, F, &inner) < 0) {
        return vdi_error_set(
            err, VDI_ERR_DATA, "vdi_lds_em_step",
            "%s is not determined by the data (inputs that are collinear, or too few bins): %s",
            what, inner.message);
    }
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, F, rows, g->normal, F, g->work, F);
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT, F, rows, g->normal, F, g->work, F);
    if (reflected) vdi__reflect(g->rows, f, g->reflector, g->work);
    for (int64_t r = 0; r < g->rows; r++) {
        for (int64_t i = 0, c = 0; i < g->K; i++)
            if (g->free_column[i]) theta[r * g->K + i] = g->work[r * f + c++];
    }
    return VDI_OK;
}

/* V (rows,rows): the covariance of what theta leaves. */
VDI__FN void vdi__residual_covariance(const vdi__regression *g, const double *theta, double *V) {
    const int64_t n = g->rows;
    const size_t N = (size_t)n, k = (size_t)g->K;
    /* work = yx - theta xx: 0 in the free columns, so the last product corrects only for what is
     * frozen */
    vdi_gemm(VDI_F64, 0, N, k, k, theta, k, g->xx, k, g->work, k);
    for (int64_t i = 0; i < n * g->K; i++)
        g->work[i] = g->yx[i] - g->work[i];
    vdi_gemm(VDI_F64, VDI_GEMM_TB, N, N, k, theta, k, g->yx, k, V, N);
    vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, N, N, k, g->work, k, theta, k, V, N);
    for (int64_t i = 0; i < n * n; i++)
        V[i] = (g->yy[i] - V[i]) / g->count;
    if (vdi__regression_has_level(g)) {
        for (int64_t i = 0; i < n; i++)
            g->work[i] = vdi__regression_level(g, theta, i, false);
        vdi_ger(VDI_F64, N, N, g->work, g->work, V, N);
    }
    vdi__symmetrise(n, V);
}

/* ---- floors ---------------------------------------------------------------------------------- */

/* No eigenvalue of S^{-1/2} V S^{-1/2} is below `least`, S = diag(scale). */
typedef struct vdi__floor {
    double least;
    const double *scale; /* (n), or NULL: 1 */
    const double *now;   /* (n,n): the covariance that V replaces. If it is below the floor itself,
                            its own least eigenvalue is the floor: a step must be able to stay where
                            it is. NULL: no such */
} vdi__floor;

/* to (n,n) = V in units of the scale, or (`back`) out of them. */
VDI__FN void vdi__floor_scale(int64_t n, const double *scale, bool back, const double *V,
                              double *to) {
    for (int64_t i = 0; i < n * n; i++) {
        const double unit = scale ? sqrt(scale[i / n]) * sqrt(scale[i % n]) : 1;
        to[i] = back ? V[i] * unit : V[i] / unit;
    }
}

/* Is V at the floor or above? `work` holds n n. */
VDI__FN bool vdi__floor_holds(int64_t n, const vdi__floor *f, const double *V, double *work) {
    memcpy(work, V, (size_t)(n * n) * sizeof *work);
    for (int64_t i = 0; i < n; i++)
        work[i * n + i] -= f->least * (f->scale ? f->scale[i] : 1);
    return vdi_cholesky(VDI_F64, (size_t)n, work, (size_t)n, NULL) == VDI_OK;
}

/* Where the covariance now has no variance at all, what a step finds is rounding: V keeps the
 * zeros. */
VDI__FN void vdi__keep_zeros(int64_t n, const double *now, double *V) {
    for (int64_t i = 0; i < n * n; i++)
        if (now[i / n * (n + 1)] == 0 || now[i % n * (n + 1)] == 0) V[i] = 0;
}

/* V becomes the matrix nearest to it in likelihood that keeps the floor: its eigenvalues, in units
 * of the scale, are clipped. `work` holds 3 n n + n. */
VDI__FN vdi_status vdi__apply_floor(int64_t n, const vdi__floor *f, double *V, double *work,
                                    vdi_error *err) {
    const size_t N = (size_t)n;
    double *vectors = work, *scratch = work + n * n, *scaled = work + 2 * n * n;
    double *values = work + 3 * n * n, least = f->least;
    if (f->now) vdi__keep_zeros(n, f->now, V);
    if (vdi__floor_holds(n, f, V, work)) return VDI_OK;
    if (f->now && !vdi__floor_holds(n, f, f->now, work)) {
        vdi__floor_scale(n, f->scale, false, f->now, scaled);
        const vdi_status status = vdi_eigh(VDI_F64, N, scaled, N, values, vectors, scratch, err);
        if (status < 0) return status;
        for (int64_t i = 0; i < n; i++)
            least = VDI__MIN(least, VDI__MAX(values[i], 0));
    }
    vdi__floor_scale(n, f->scale, false, V, V);
    const vdi_status status = vdi_eigh(VDI_F64, N, V, N, values, vectors, scratch, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++)
            scaled[i * n + j] = vectors[i * n + j] * VDI__MAX(values[j], least);
    }
    vdi_gemm(VDI_F64, VDI_GEMM_TB, N, N, N, scaled, N, vectors, N, V, N);
    vdi__floor_scale(n, f->scale, true, V, V);
    vdi__symmetrise(n, V);
    if (f->now) vdi__keep_zeros(n, f->now, V);
    return VDI_OK;
}
#endif
