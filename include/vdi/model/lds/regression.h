/* model/lds/regression.h - linear regression from sums of products, as the M-steps of lds and plds
 * do it, and covariances with no eigenvalue below a floor
 *
 *     theta = argmin sum |y - theta x|^2    from  yy = sum y y', yx = sum y x', xx = sum x x'
 *     V     = (yy - theta yx' - yx theta' + theta xx theta') / count
 *
 * Nothing public. Some columns of theta may stay as they are: they move to the left-hand side.
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
    bool *free_column;    /* (K): the columns that are sought */
    double *normal;       /* (K,K) scratch */
    double *work;         /* (rows,K) scratch */
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

/* theta (rows,K): its free columns become the best; `what` names them in the message. */
VDI__FN vdi_status vdi__regress(const vdi__regression *g, const char *what, double *theta,
                                vdi_error *err) {
    const int64_t f = vdi__normal_equations(g, theta);
    const size_t F = (size_t)f, rows = (size_t)g->rows;
    vdi_error inner = VDI__ZERO;
    if (f == 0) return VDI_OK;
    if (vdi_cholesky(VDI_F64, F, g->normal, F, &inner) < 0) {
        return vdi_error_set(
            err, VDI_ERR_DATA, "vdi_lds_em_step",
            "%s is not determined by the data (inputs that are collinear, or too few bins): %s",
            what, inner.message);
    }
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, F, rows, g->normal, F, g->work, F);
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT, F, rows, g->normal, F, g->work, F);
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
    vdi__symmetrise(n, V);
}

/* The matrix nearest to V in likelihood with no eigenvalue below `least`: eigenvalues are clipped.
 * `work` holds 3 n n + n. */
VDI__FN vdi_status vdi__clip_eigenvalues(int64_t n, double *V, double least, double *work,
                                         vdi_error *err) {
    const size_t N = (size_t)n;
    double *vectors = work, *scratch = work + n * n, *scaled = work + 2 * n * n;
    double *values = work + 3 * n * n;
    memcpy(work, V, (size_t)(n * n) * sizeof *work);
    for (int64_t i = 0; i < n; i++)
        work[i * n + i] -= least;
    if (vdi_cholesky(VDI_F64, N, work, N, NULL) == VDI_OK) return VDI_OK;
    vdi_status status = vdi_eigh(VDI_F64, N, V, N, values, vectors, scratch, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++)
            scaled[i * n + j] = vectors[i * n + j] * VDI__MAX(values[j], least);
    }
    vdi_gemm(VDI_F64, VDI_GEMM_TB, N, N, N, scaled, N, vectors, N, V, N);
    vdi__symmetrise(n, V);
    return VDI_OK;
}
#endif
