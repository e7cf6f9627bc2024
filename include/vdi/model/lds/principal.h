/* model/lds/principal.h - principal components by subspace iteration: where EM starts in lds and
 * plds
 *
 * Nothing public. Thirty passes of V <- orth(Y'Y V) from random columns: a start needs no more
 * digits than that.
 */
#ifndef VDI_MODEL_LDS_PRINCIPAL_H
#define VDI_MODEL_LDS_PRINCIPAL_H
#include "../../core/rng.h"
#include "../../linalg/table.h"
#endif /* VDI_MODEL_LDS_PRINCIPAL_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_PRINCIPAL_C)
#define VDI_MODEL_LDS_PRINCIPAL_C

/* Columns of V (n,d) orthonormal, by Gram-Schmidt done twice; a column that vanishes becomes a unit
 * vector. */
VDI__FN void vdi__orthonormalise(int64_t n, int64_t d, double *V) {
    for (int64_t j = 0; j < d; j++) {
        for (int64_t k = 0; k < 2 * j; k++) {
            const int64_t other = k % j;
            double s = 0;
            for (int64_t i = 0; i < n; i++)
                s += V[i * d + j] * V[i * d + other];
            for (int64_t i = 0; i < n; i++)
                V[i * d + j] -= s * V[i * d + other];
        }
        double norm = 0;
        for (int64_t i = 0; i < n; i++)
            norm += V[i * d + j] * V[i * d + j];
        norm = sqrt(norm);
        for (int64_t i = 0; i < n; i++)
            V[i * d + j] = norm > 1e-150 ? V[i * d + j] / norm : (double)(i == j % n);
    }
}

/* The first d principal axes V (n,d) of y (rows,n), orthonormal, and the scores y V (rows,d). */
VDI__FN void vdi__principal(int64_t rows, int64_t n, int64_t d, const double *y, uint64_t seed,
                            double *V, double *score) {
    const size_t r = (size_t)rows, N = (size_t)n, k = (size_t)d;
    vdi_rng rng = vdi_rng_make(seed, 0);
    vdi_rng_fill_normal(&rng, VDI_F64, n * d, V);
    vdi__orthonormalise(n, d, V);
    for (int pass = 0; pass < 30; pass++) {
        vdi_gemm(VDI_F64, 0, r, k, N, y, N, V, k, score, k);
        vdi_gemm(VDI_F64, VDI_GEMM_TA, N, k, r, y, N, score, k, V, k);
        vdi__orthonormalise(n, d, V);
    }
    vdi_gemm(VDI_F64, 0, r, k, N, y, N, V, k, score, k);
}
#endif
