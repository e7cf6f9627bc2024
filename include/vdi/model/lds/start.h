/* model/lds/start.h - where EM begins: a linear dynamical system from principal components
 *
 * Do this:
 *     vdi_lds_init(lds, data, 1, &err);                  seed 1
 *     vdi_lds_em_step(lds, data, &log_likelihood, &err);
 *
 * Memory: none is allocated.
 */
#ifndef VDI_MODEL_LDS_START_H
#define VDI_MODEL_LDS_START_H
#include "em.h"
#include "principal.h"

/** A start for EM: principal components of y (subspace iteration from `seed`; missing values count
 * as the channel's mean), dynamics by regressing their scores on the bin before. Leaves frozen
 * parameters alone. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_init(vdi_lds *lds, vdi_lds_data *data, uint64_t seed,
                                              vdi_error *err);

#endif /* VDI_MODEL_LDS_START_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_START_C)
#define VDI_MODEL_LDS_START_C

/* Latents of unit variance: z = score / scale. */
VDI__FN void vdi__lds_start_scale(vdi_lds_data *a, double *score, double count) {
    const int64_t rows = a->trials * a->T, d = a->d;
    double largest = 0;
    for (int64_t j = 0; j < a->n; j++)
        largest = VDI__MAX(largest, a->variance[j]);
    for (int64_t k = 0; k < d; k++) {
        double q = 0;
        for (int64_t r = 0; r < rows; r++)
            q += score[r * d + k] * score[r * d + k];
        a->scale[k] = sqrt(VDI__MAX(q / count, 1e-12 * largest));
        for (int64_t r = 0; r < rows; r++)
            score[r * d + k] /= a->scale[k];
    }
}

/* C = V scale, b the mean, R what the components leave of the variance. */
VDI__FN void vdi__lds_start_readout(vdi_lds *next, const vdi_lds_data *a, const double *V) {
    const int64_t d = a->d, n = a->n, U = a->inputs;
    const unsigned freeze = next->desc.freeze;
    for (int64_t j = 0; j < n; j++) {
        const double square = a->diagonal_r ? a->yy[j] : a->yy[j * n + j];
        double seen = 0, share = 0;
        for (int64_t i = 0; i < a->trials; i++)
            seen += a->channel_count[i * n + j];
        const double variance = seen > 0 ? square / seen : a->variance[j];
        const double least = next->desc.r_floor > 0 ? next->desc.r_floor : 1e-6 * a->variance[j];
        for (int64_t k = 0; k < d; k++)
            share += V[j * d + k] * V[j * d + k] * a->scale[k] * a->scale[k];
        for (int64_t k = 0; !(freeze & VDI_LDS_C) && k < d; k++)
            next->C[j * d + k] = V[j * d + k] * a->scale[k];
        if (!(freeze & VDI_LDS_BIAS)) next->b[j] = a->y_mean[j];
        if (!(freeze & VDI_LDS_D) && U > 0) memset(next->D + j * U, 0, (size_t)U * sizeof(double));
        if (freeze & VDI_LDS_R) continue;
        memset(next->R + j * n, 0, (size_t)n * sizeof(double));
        next->R[j * n + j] = VDI__MAX(variance - share, VDI__MAX(0.05 * variance, least));
    }
}

/* A: z_t on z_{t-1}, shrunk a little, since the scores carry observation noise; Q: what that
 * leaves. */
VDI__FN vdi_status vdi__lds_start_dynamics(vdi_lds *next, vdi_lds_data *a, const double *score,
                                           double count, vdi_error *err) {
    const int64_t d = a->d, T = a->T;
    const unsigned freeze = next->desc.freeze;
    double *A = a->chain.theta;
    vdi__regression g = a->chain.g;
    g.K = d;
    g.centred = false;
    memset(g.yx, 0, (size_t)(d * d) * sizeof(double));
    memset(g.xx, 0, (size_t)(d * d) * sizeof(double));
    for (int64_t i = 0; i < a->trials; i++) {
        const double *z = score + i * T * d;
        const int64_t steps = a->lengths[i] - 1;
        vdi__add_products(d, d, steps, z + d, d, z, d, g.yx, d);
        vdi__add_products(d, d, steps, z, d, z, d, g.xx, d);
    }
    for (int64_t i = 0; i < d; i++) {
        g.free_column[i] = true;
        g.xx[i * d + i] += 1e-3 * count + 1;
    }
    const vdi_status status = vdi__regress(&g, "A", A, err);
    if (status < 0) return status;
    if (!(freeze & VDI_LDS_A)) memcpy(next->A, A, (size_t)(d * d) * sizeof(double));
    if (!(freeze & VDI_LDS_Q)) memset(next->Q, 0, (size_t)(d * d) * sizeof(double));
    for (int64_t i = 0; !(freeze & VDI_LDS_Q) && i < d; i++) {
        double r = 1;
        for (int64_t k = 0; k < d; k++)
            r -= A[i * d + k] * g.yx[i * d + k] / count;
        next->Q[i * d + i] = VDI__MAX(r, 0.02);
    }
    return VDI_OK;
}

/* x0 = 0, Q0 = I, B = 0. */
VDI__FN void vdi__lds_start_rest(vdi_lds *next) {
    const int64_t d = next->desc.d, U = next->desc.inputs;
    const unsigned freeze = next->desc.freeze;
    for (int64_t i = 0; !(freeze & VDI_LDS_Q0) && i < d * d; i++)
        next->Q0[i] = i / d == i % d;
    if (!(freeze & VDI_LDS_X0)) memset(next->x0, 0, (size_t)d * sizeof(double));
    if (!(freeze & VDI_LDS_B) && U > 0) memset(next->B, 0, (size_t)(d * U) * sizeof(double));
}

VDI__DEF vdi_status vdi_lds_init(vdi_lds *lds, vdi_lds_data *data, uint64_t seed, vdi_error *err) {
    static const char where[] = "vdi_lds_init";
    vdi_status status = vdi__lds_fits(lds, data, where, err);
    if (status < 0) return status;
    double *V = data->sums.g.work, *score = data->yd, count = 0;
    for (int64_t i = 0; i < data->trials; i++)
        count += (double)data->lengths[i];
    vdi_lds next = vdi__lds_next(lds);
    vdi__principal(data->trials * data->T, data->n, data->d, data->y, seed, V, score);
    vdi__lds_start_scale(data, score, count);
    vdi__lds_start_readout(&next, data, V);
    status = vdi__lds_start_dynamics(&next, data, score, count, err);
    if (status < 0) return status;
    vdi__lds_start_rest(&next);
    return vdi__block_commit(lds->param_count, lds->update, lds->A, where, err);
}
#endif
