/* model/lds/predict.h - fitted values of a linear dynamical system in place of the noisy or missing
 * observations, and standardised innovations
 *
 * Do this:
 *     vdi_lds_fitted(lds, data, y_mean, y_var, &err);         (trials,T,n) each
 *     vdi_lds_innovations(lds, data, e, &err);                (trials,T,n)
 *
 * Memory: none is allocated.
 */
#ifndef VDI_MODEL_LDS_PREDICT_H
#define VDI_MODEL_LDS_PREDICT_H
#include "filter.h"
#include "smooth.h"

/** Mean and variance (trials,T,n) of an observation of each bin given all of y; either may be NULL.
 * The variance has R in it: it is that of a value measured anew. 0 behind a trial's length. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_fitted(const vdi_lds *lds, vdi_lds_data *data,
                                                double *y_mean, double *y_var, vdi_error *err);
/** Standardised innovations e (trials,T,n) = L^{-1} (y_t - E[y_t | the bins before]), L L' its
 * covariance over the channels seen: independent standard normals if the model is right. NaN where
 * a value is missing, 0 behind a trial's length. (With a full, singular R they are turned by its
 * eigenvectors.) */
VDI_API VDI_NODISCARD vdi_status vdi_lds_innovations(const vdi_lds *lds, vdi_lds_data *data,
                                                     double *e, vdi_error *err);

#endif /* VDI_MODEL_LDS_PREDICT_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_PREDICT_C)
#define VDI_MODEL_LDS_PREDICT_C

/* Where variances of fitted observations go. */
typedef struct vdi__lds_variances {
    const vdi_lds *lds;
    vdi_lds_data *data;
    double *var;
} vdi__lds_variances;

VDI__FN vdi_status vdi__lds_take_variances(void *user, int64_t lane, int64_t t, int64_t bins,
                                           const double *S, const double *O, vdi_error *err) {
    const vdi__lds_variances *to = (const vdi__lds_variances *)user;
    vdi_lds_data *a = to->data;
    const int64_t n = a->n, d = a->d;
    const size_t D = (size_t)d;
    double *CP = a->ahead_CP, *var = a->sums.row;
    (void)O;
    (void)err;
    for (int64_t r = 0; r < bins; r++) {
        vdi_gemm(VDI_F64, 0, (size_t)n, D, D, to->lds->C, D, S + r * d * d, D, CP, D);
        for (int64_t j = 0; j < n; j++) {
            var[j] = to->lds->R[j * (n + 1)] + vdi_dot(VDI_F64, D, CP + j * d, to->lds->C + j * d);
        }
        for (int64_t row = 0; row < a->lane.rows; row++) {
            const int64_t i = a->lane.trial_at[row * a->lane.count + lane];
            if (i >= 0) memcpy(to->var + (i * a->T + t + r) * n, var, (size_t)n * sizeof *var);
        }
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_lds_fitted(const vdi_lds *lds, vdi_lds_data *data, double *y_mean,
                                   double *y_var, vdi_error *err) {
    const int64_t n = data->n, d = data->d, T = data->T, U = data->inputs;
    vdi__lds_variances to = VDI__ZERO;
    vdi__lds_sink sink = VDI__ZERO;
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_fitted", err);
    to.lds = lds;
    to.data = data;
    to.var = y_var;
    sink.take = vdi__lds_take_variances;
    sink.user = &to;
    if (status == VDI_OK) status = vdi__lds_posterior(lds, data, y_var ? &sink : NULL, err);
    if (status < 0) return status;
    for (int64_t at = 0; at < data->trials * T; at++) {
        const int64_t i = at / T, t = at % T;
        const bool inside = t < data->lengths[i];
        const double *z = vdi__lds_slot(data, data->m, i) + t * d;
        if (y_mean && inside)
            vdi__lds_emit(lds, z, data->u + at * U, y_mean + at * n);
        else if (y_mean)
            memset(y_mean + at * n, 0, (size_t)n * sizeof *y_mean);
        if (y_var && !inside) memset(y_var + at * n, 0, (size_t)n * sizeof *y_var);
    }
    return VDI_OK;
}

/* e of bin t of a lane's trials; their means in kmf. */
VDI__FN vdi_status vdi__lds_innovations_bin(vdi_lds_data *a, int64_t lane, int64_t t, double *e,
                                            vdi_error *err) {
    const vdi__root *q = &a->exact.root;
    const int64_t n = a->n, d = a->d;
    const vdi_status status = vdi__lds_root_bin(a, lane, t, err);
    for (int64_t row = 0; status == VDI_OK && row < a->lane.rows; row++) {
        const int64_t slot = row * a->lane.count + lane, i = a->lane.trial_at[slot];
        double *out = e + (i * a->T + t) * n, *m = a->exact.X;
        if (i < 0) continue;
        memcpy(m, a->kmp + (slot * a->T + t) * d, (size_t)d * sizeof *m);
        vdi__root_values(&a->exact.root, a->yt + (i * a->T + t) * n);
        (void)vdi__root_update(q, m);
        for (int64_t j = 0; j < n; j++)
            out[j] = (double)NAN;
        for (int64_t j = 0; j < q->m; j++)
            out[q->seen[j]] = q->v[j] / sqrt(q->s[j]);
    }
    return status;
}

VDI__DEF vdi_status vdi_lds_innovations(const vdi_lds *lds, vdi_lds_data *data, double *e,
                                        vdi_error *err) {
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_innovations", err);
    if (status == VDI_OK) status = vdi__lds_whole(data, err);
    if (status == VDI_OK) status = vdi__root_begin(&data->exact.root, lds, err);
    if (status < 0) return status;
    vdi__lds_residual(lds, data);
    vdi__lds_state_inputs(lds, data);
    memset(e, 0, (size_t)(data->trials * data->T * data->n) * sizeof *e);
    memset(data->ll, 0, (size_t)data->trials * sizeof(double));
    for (int64_t g = 0; g < data->lane.count; g++) {
        for (int64_t t = 0; status == VDI_OK && t < data->lane.lengths[g]; t++)
            status = vdi__lds_innovations_bin(data, g, t, e, err);
    }
    return status;
}
#endif
