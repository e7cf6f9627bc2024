/* model/lds/sample.h - drawing from a linear dynamical system, from its posterior, and forecasting
 *
 * Do this:
 *     vdi_lds_simulate(lds, 1, trials, T, NULL, work, z, y, &err);          data of seed 1
 *     vdi_lds_sample(lds, data, 10, 1, z, &err);                            ten samples given y
 *     vdi_lds_forecast(lds, data, 20, NULL, NULL, NULL, mean, cov, &err);   the next 20 bins
 *
 * Nothing is allocated. Every trial draws from a stream of its own, so that any of them can be
 * drawn again alone.
 */
#ifndef VDI_MODEL_LDS_SAMPLE_H
#define VDI_MODEL_LDS_SAMPLE_H
#include "lds.h"

/** z (S,trials,T,d): joint samples from the posterior of the latents, 0 behind a trial's length
 * (simulation smoother: z = mean + L^{-T} eps).
 *  Trial i of sample s draws from stream s * trials + i of `seed`. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_sample(const vdi_lds *lds, vdi_lds_data *data,
                                                int64_t samples, uint64_t seed, double *z,
                                                vdi_error *err);
/** What comes after each trial's last bin: z_mean (trials,H,d), z_cov (trials,H,d,d), y_mean
 * (trials,H,n), y_cov (trials,H,n,n); NULL: not
 *  wanted. u (trials,H,inputs), NULL: inputs are 0. A trial of length 0 is forecast from the prior
 *  of z_1. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_forecast(const vdi_lds *lds, vdi_lds_data *data,
                                                  int64_t horizon, const double *u, double *z_mean,
                                                  double *z_cov, double *y_mean, double *y_cov,
                                                  vdi_error *err);
/** Draw from the model: z (trials,T,d), y (trials,T,n); either may be NULL. u (trials,T,inputs),
 * NULL: inputs are 0. Trial i uses
 *  stream i of `seed`. `work` holds vdi_lds_simulate_work(lds) doubles. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_simulate(const vdi_lds *lds, uint64_t seed, int64_t trials,
                                                  int64_t T, const double *u, double *work,
                                                  double *z, double *y, vdi_error *err);
VDI_API size_t vdi_lds_simulate_work(const vdi_lds *lds);

#endif /* VDI_MODEL_LDS_SAMPLE_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_SAMPLE_C)
#define VDI_MODEL_LDS_SAMPLE_C

VDI__DEF vdi_status vdi_lds_sample(const vdi_lds *lds, vdi_lds_data *data, int64_t samples,
                                   uint64_t seed, double *z, vdi_error *err) {
    const int64_t T = data->T, d = data->d;
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_sample", err);
    if (status == VDI_OK) status = vdi__lds_posterior(lds, data, false, err);
    if (status < 0) return status;
    for (int64_t s = 0; s < samples; s++) {
        double *out = z + s * data->trials * T * d;
        for (int64_t i = 0; i < data->trials; i++) {
            vdi_rng rng = vdi_rng_make(seed, (uint64_t)(s * data->trials + i));
            vdi_rng_fill_normal(&rng, VDI_F64, T * d, vdi__lds_slot(data, data->h, i));
        }
        vdi_blocktri_sample(&data->bt, data->rows, data->h, data->h);
        for (int64_t i = 0; i < data->trials; i++) {
            double *o = out + i * T * d, *e = vdi__lds_slot(data, data->h, i);
            vdi_binary(VDI_F64, VDI_ADD, (size_t)(T * d), e, 1, vdi__lds_slot(data, data->m, i), 1,
                       o);
        }
    }
    /* slots without a trial stay 0 */
    memset(data->h, 0, (size_t)(data->rows * data->lanes * T * d) * sizeof(double));
    return VDI_OK;
}

/* m = A m + B u, P = A P A' + Q; `work` holds 2 d*d + d */
VDI__FN void vdi__lds_predict(const vdi_lds *p, const double *u, double *m, double *P,
                              double *work) {
    const size_t d = (size_t)p->desc.d, U = (size_t)p->desc.inputs;
    double *AP = work, *next = work + d * d;
    vdi_gemv(VDI_F64, 0, d, d, p->A, d, m, next);
    if (u && U) vdi_gemv(VDI_F64, VDI_GEMM_ACC, d, U, p->B, U, u, next);
    memcpy(m, next, d * sizeof *m);
    vdi_gemm(VDI_F64, 0, d, d, d, p->A, d, P, d, AP, d);
    memcpy(P, p->Q, d * d * sizeof *P);
    vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, d, d, d, AP, d, p->A, d, P, d);
}

VDI__DEF vdi_status vdi_lds_forecast(const vdi_lds *lds, vdi_lds_data *data, int64_t horizon,
                                     const double *u, double *z_mean, double *z_cov, double *y_mean,
                                     double *y_cov, vdi_error *err) {
    const int64_t T = data->T;
    const int64_t d = data->d;
    const int64_t n = data->n;
    const int64_t U = data->inputs;
    const int64_t dd = d * d;
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_forecast", err);
    if (horizon < 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_lds_forecast",
                             "horizon is %lld, expected at least 1", (long long)horizon);
    }
    if (status == VDI_OK) status = vdi__lds_posterior(lds, data, true, err);
    if (status < 0) return status;
    /* CP is (n,d), at most 4 n K long */
    double *m = data->em;
    double *P = m + d;
    double *work = P + dd;
    double *CP = work + dd + d;
    for (int64_t i = 0; i < data->trials; i++) {
        int64_t length = data->lengths[i];
        for (int64_t h = 0; h < horizon; h++) {
            const double *uh = u && U > 0 ? u + (i * horizon + h) * U : NULL;
            int64_t at = i * horizon + h;
            if (h == 0 && length == 0) {
                memcpy(m, lds->x0, (size_t)d * sizeof *m);
                memcpy(P, lds->Q0, (size_t)dd * sizeof *P);
            } else {
                if (h == 0) {
                    memcpy(m, vdi__lds_slot(data, data->m, i) + (length - 1) * d,
                           (size_t)d * sizeof *m);
                    memcpy(P, data->S + (data->lane_of[i] * T + length - 1) * dd,
                           (size_t)dd * sizeof *P);
                }
                vdi__lds_predict(lds, uh, m, P, work);
            }
            if (z_mean) memcpy(z_mean + at * d, m, (size_t)d * sizeof *m);
            if (z_cov) memcpy(z_cov + at * dd, P, (size_t)dd * sizeof *P);
            if (y_mean) {
                memcpy(y_mean + at * n, lds->b, (size_t)n * sizeof *y_mean);
                vdi_gemv(VDI_F64, VDI_GEMM_ACC, (size_t)n, (size_t)d, lds->C, (size_t)d, m,
                         y_mean + at * n);
                if (uh) {
                    vdi_gemv(VDI_F64, VDI_GEMM_ACC, (size_t)n, (size_t)U, lds->D, (size_t)U, uh,
                             y_mean + at * n);
                }
            }
            if (y_cov) {
                double *V = y_cov + at * n * n;
                for (int64_t j = 0; j < n * n; j++)
                    V[j] = lds->desc.diagonal_r && j / n != j % n ? 0 : lds->R[j];
                vdi_gemm(VDI_F64, 0, (size_t)n, (size_t)d, (size_t)d, lds->C, (size_t)d, P,
                         (size_t)d, CP, (size_t)d);
                vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, (size_t)n, (size_t)n, (size_t)d, CP,
                         (size_t)d, lds->C, (size_t)d, V, (size_t)n);
            }
        }
    }
    return VDI_OK;
}

VDI__DEF size_t vdi_lds_simulate_work(const vdi_lds *lds) {
    size_t d = (size_t)lds->desc.d, n = (size_t)lds->desc.n;
    return 2 * d * d + n * n + 3 * d + n;
}

/* x += L e for a lower triangle L */
VDI__FN void vdi__lower_multiply_add(int64_t n, const double *l, const double *e, double *x) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++)
            x[i] += l[i * n + j] * e[j];
    }
}

VDI__DEF vdi_status vdi_lds_simulate(const vdi_lds *lds, uint64_t seed, int64_t trials, int64_t T,
                                     const double *u, double *work, double *z, double *y,
                                     vdi_error *err) {
    const int64_t d = lds->desc.d, n = lds->desc.n, U = lds->desc.inputs;
    /* e: the noise, then the next state: 2 d or n */
    double *Lq = work;
    double *L0 = Lq + d * d;
    double *Lr = L0 + d * d;
    double *state = Lr + n * n;
    double *e = state + d;
    vdi_status status = vdi__lds_cholesky("Q", d, lds->Q, Lq, err);
    if (status == VDI_OK) status = vdi__lds_cholesky("Q0", d, lds->Q0, L0, err);
    if (status == VDI_OK && !lds->desc.diagonal_r)
        status = vdi__lds_cholesky("R", n, lds->R, Lr, err);
    if (status < 0) return status;
    for (int64_t i = 0; lds->desc.diagonal_r && i < n; i++) {
        for (int64_t j = 0; j < n; j++)
            Lr[i * n + j] = i == j ? sqrt(lds->R[i * n + i]) : 0;
    }
    for (int64_t i = 0; i < trials; i++) {
        vdi_rng rng = vdi_rng_make(seed, (uint64_t)i);
        for (int64_t t = 0; t < T; t++) {
            const double *ut = u && U > 0 ? u + (i * T + t) * U : NULL;
            vdi_rng_fill_normal(&rng, VDI_F64, d, e);
            double *next = e + d;
            if (t == 0) {
                memcpy(next, lds->x0, (size_t)d * sizeof *next);
            } else {
                vdi_gemv(VDI_F64, 0, (size_t)d, (size_t)d, lds->A, (size_t)d, state, next);
                if (ut) {
                    vdi_gemv(VDI_F64, VDI_GEMM_ACC, (size_t)d, (size_t)U, lds->B, (size_t)U, ut,
                             next);
                }
            }
            vdi__lower_multiply_add(d, t == 0 ? L0 : Lq, e, next);
            memcpy(state, next, (size_t)d * sizeof *state);
            if (z) memcpy(z + (i * T + t) * d, state, (size_t)d * sizeof *z);
            vdi_rng_fill_normal(&rng, VDI_F64, n, e);
            if (!y) continue;
            double *out = y + (i * T + t) * n;
            memcpy(out, lds->b, (size_t)n * sizeof *out);
            vdi_gemv(VDI_F64, VDI_GEMM_ACC, (size_t)n, (size_t)d, lds->C, (size_t)d, state, out);
            if (ut)
                vdi_gemv(VDI_F64, VDI_GEMM_ACC, (size_t)n, (size_t)U, lds->D, (size_t)U, ut, out);
            vdi__lower_multiply_add(n, Lr, e, out);
        }
    }
    return VDI_OK;
}
#endif
