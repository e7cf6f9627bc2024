/* model/lds/sample.h - drawing from a linear dynamical system, from its posterior, and forecasting
 *
 * Do this:
 *     vdi_lds_simulate(lds, 1, trials, T, NULL, work, z, y, &err);          data of seed 1
 *     vdi_lds_sample(lds, data, 10, 1, z, &err);                            ten samples given y
 *     vdi_lds_forecast(lds, data, 20, NULL, NULL, NULL, mean, cov, &err);   the next 20 bins
 *
 * Nothing is allocated. Every trial draws from its own random stream, so that any of them can be
 * redrawn alone.
 */
#ifndef VDI_MODEL_LDS_SAMPLE_H
#define VDI_MODEL_LDS_SAMPLE_H
#include "filter.h"
#include "smooth.h"

/** z (S,trials,T,d): joint samples from the posterior of the latents, 0 behind a trial's length
 * (simulation smoother: z = mean + L^{-T} eps). Trial i of sample s draws from stream s * trials +
 * i of `seed`. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_sample(const vdi_lds *lds, vdi_lds_data *data,
                                                int64_t samples, uint64_t seed, double *z,
                                                vdi_error *err);
/** What comes after each trial's last bin: z_mean (trials,H,d), z_cov (trials,H,d,d), y_mean
 * (trials,H,n), y_cov (trials,H,n,n); NULL: not wanted. u (trials,H,inputs), NULL: inputs are 0. A
 * trial of length 0 is forecast from the prior of z_1. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_forecast(const vdi_lds *lds, vdi_lds_data *data,
                                                  int64_t horizon, const double *u, double *z_mean,
                                                  double *z_cov, double *y_mean, double *y_cov,
                                                  vdi_error *err);
/** Draw from the model: z (trials,T,d), y (trials,T,n); either may be NULL. u (trials,T,inputs),
 * NULL: inputs are 0. Trial i uses stream i of `seed`. `work` holds vdi_lds_simulate_work(lds)
 * doubles. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_simulate(const vdi_lds *lds, uint64_t seed, int64_t trials,
                                                  int64_t T, const double *u, double *work,
                                                  double *z, double *y, vdi_error *err);
VDI_API size_t vdi_lds_simulate_work(const vdi_lds *lds);

#endif /* VDI_MODEL_LDS_SAMPLE_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_SAMPLE_C)
#define VDI_MODEL_LDS_SAMPLE_C

/* Lr (n,n) = a root of R; `work` holds VDI__ROOT_WORK(n), or nothing where R is diagonal. */
VDI__FN vdi_status vdi__lds_noise_factor(const vdi_lds *p, double *Lr, double *work,
                                         vdi_error *err) {
    const int64_t n = p->desc.n;
    if (!p->desc.diagonal_r) return vdi__semidefinite_root("R", n, p->R, Lr, work, err);
    for (int64_t i = 0; i < n * n; i++)
        Lr[i] = i / n == i % n ? sqrt(p->R[i]) : 0;
    return VDI_OK;
}

/* ---- from the posterior ---------------------------------------------------------------------- */

/* Draw a trial's latents from the model into `z` (T,d), and into yt what the channels that were
 * seen show of them. */
VDI__FN void vdi__lds_draw_trial(const vdi_lds *p, vdi_lds_data *a, vdi__chain_path *path,
                                 const double *Lr, int64_t i, vdi_rng *rng, double *z) {
    const vdi__chain chain = vdi__lds_chain(p);
    const int64_t n = a->n, d = a->d;
    double *e = a->sums.row, *shift = a->observed.shift;
    for (int64_t t = 0; t < a->lengths[i]; t++) {
        double *y = a->yt + (i * a->T + t) * n;
        const double *mask = vdi__lds_mask(a, a->lane.of[i], t);
        vdi__chain_draw(&chain, path, t, a->u + (i * a->T + t) * a->inputs, rng);
        memcpy(z + t * d, path->state, (size_t)d * sizeof *z);
        vdi_rng_fill_normal(rng, VDI_F64, n, e);
        vdi_gemv(VDI_F64, 0, (size_t)n, (size_t)d, p->C, (size_t)d, path->state, shift);
        vdi__lower_multiply_add(n, Lr, e, shift);
        for (int64_t j = 0; j < n; j++)
            y[j] = mask && mask[j] == 0 ? 0 : shift[j];
    }
}

/* Samples without a precision: z drawn from the model with the y that it shows, moved by what the
 * two ys make of z (Durbin and Koopman 2002). */
VDI__FN vdi_status vdi__lds_exact_sample(const vdi_lds *p, vdi_lds_data *a, int64_t samples,
                                         uint64_t seed, double *z, vdi_error *err) {
    const int64_t T = a->T, d = a->d, n = a->n;
    const vdi__chain chain = vdi__lds_chain(p);
    vdi__chain_path path;
    vdi_status status = vdi__chain_path_of(&chain, a->exact.path, &path, err);
    double *Lr = a->exact.path + VDI__CHAIN_PATH_WORK(d);
    if (status == VDI_OK) status = vdi__lds_noise_factor(p, Lr, Lr + n * n, err);
    memcpy(a->h, a->m, vdi__lds_means(a) * sizeof *a->h);
    for (int64_t s = 0; status == VDI_OK && s < samples; s++) {
        double *out = z + s * a->trials * T * d;
        memset(out, 0, (size_t)(a->trials * T * d) * sizeof *out);
        for (int64_t i = 0; i < a->trials; i++) {
            vdi_rng rng = vdi_rng_make(seed, (uint64_t)(s * a->trials + i));
            vdi__lds_draw_trial(p, a, &path, Lr, i, &rng, out + i * T * d);
        }
        status = vdi__lds_exact(p, a, false, err);
        for (int64_t i = 0; i < a->trials; i++) {
            const double *given = vdi__lds_slot(a, a->h, i), *drawn = vdi__lds_slot(a, a->m, i);
            for (int64_t k = 0; k < a->lengths[i] * d; k++)
                out[i * T * d + k] += given[k] - drawn[k];
        }
    }
    memset(a->h, 0, vdi__lds_means(a) * sizeof *a->h);
    return status;
}

VDI__DEF vdi_status vdi_lds_sample(const vdi_lds *lds, vdi_lds_data *data, int64_t samples,
                                   uint64_t seed, double *z, vdi_error *err) {
    const int64_t T = data->T, d = data->d;
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_sample", err);
    if (status == VDI_OK) status = vdi__lds_whole(data, err);
    if (status == VDI_OK) status = vdi__lds_whole_posterior(lds, data, false, err);
    if (status < 0) return status;
    if (vdi__lds_is_thin(lds, data)) return vdi__lds_exact_sample(lds, data, samples, seed, z, err);
    for (int64_t s = 0; s < samples; s++) {
        double *out = z + s * data->trials * T * d;
        for (int64_t i = 0; i < data->trials; i++) {
            vdi_rng rng = vdi_rng_make(seed, (uint64_t)(s * data->trials + i));
            vdi_rng_fill_normal(&rng, VDI_F64, T * d, vdi__lds_slot(data, data->h, i));
        }
        vdi_blocktri_sample(&data->bt, data->lane.rows, data->h, data->h);
        for (int64_t i = 0; i < data->trials; i++) {
            double *o = out + i * T * d, *e = vdi__lds_slot(data, data->h, i);
            vdi_binary(VDI_F64, VDI_ADD, (size_t)(T * d), e, 1, vdi__lds_slot(data, data->m, i), 1,
                       o);
        }
    }
    /* slots without a trial stay 0 */
    memset(data->h, 0, vdi__lds_means(data) * sizeof(double));
    return VDI_OK;
}

/* ---- ahead ----------------------------------------------------------------------------------- */

/* V (n,n) = C P C' + R */
VDI__FN void vdi__lds_emit_covariance(const vdi_lds *p, const double *P, double *CP, double *V) {
    const size_t n = (size_t)p->desc.n, d = (size_t)p->desc.d;
    for (size_t j = 0; j < n * n; j++)
        V[j] = p->desc.diagonal_r && j / n != j % n ? 0 : p->R[j];
    vdi_gemm(VDI_F64, 0, n, d, d, p->C, d, P, d, CP, d);
    vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, n, n, d, CP, d, p->C, d, V, n);
}

VDI__FN vdi_status vdi__lds_take_last(void *user, int64_t lane, int64_t t, int64_t bins,
                                      const double *S, const double *O, vdi_error *err) {
    vdi_lds_data *a = (vdi_lds_data *)user;
    const int64_t dd = a->d * a->d;
    (void)O;
    (void)err;
    if (t + bins == a->lane.lengths[lane])
        memcpy(a->last + lane * dd, S + (bins - 1) * dd, (size_t)dd * sizeof *S);
    return VDI_OK;
}

/* The last bin of a trial into ahead_m and ahead_P; false if it has none. */
VDI__FN bool vdi__lds_last_bin(const vdi_lds *p, vdi_lds_data *a, int64_t trial) {
    const int64_t d = a->d, dd = d * d, last = a->lengths[trial] - 1;
    const double *m = p->x0, *P = p->Q0;
    if (last >= 0) {
        m = vdi__lds_slot(a, a->m, trial) + last * d;
        P = a->last + a->lane.of[trial] * dd;
    }
    memcpy(a->ahead_m, m, (size_t)d * sizeof(double));
    memcpy(a->ahead_P, P, (size_t)dd * sizeof(double));
    return last >= 0;
}

VDI__DEF vdi_status vdi_lds_forecast(const vdi_lds *lds, vdi_lds_data *data, int64_t horizon,
                                     const double *u, double *z_mean, double *z_cov, double *y_mean,
                                     double *y_cov, vdi_error *err) {
    static const char where[] = "vdi_lds_forecast";
    const int64_t d = data->d, n = data->n, U = data->inputs, dd = d * d;
    const vdi__chain chain = vdi__lds_chain(lds);
    double *m = data->ahead_m, *P = data->ahead_P;
    vdi_status status = vdi__lds_fits(lds, data, where, err);
    if (status < 0) return status;
    if (horizon < 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "horizon is %lld, expected at least 1",
                             (long long)horizon);
    }
    vdi__lds_sink sink = VDI__ZERO;
    sink.take = vdi__lds_take_last;
    sink.user = data;
    status = vdi__lds_posterior(lds, data, &sink, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < data->trials; i++) {
        bool step = vdi__lds_last_bin(lds, data, i);
        for (int64_t at = i * horizon; at < (i + 1) * horizon; at++, step = true) {
            const double *uh = u && U > 0 ? u + at * U : NULL;
            if (step) vdi__chain_predict(&chain, uh, m, P, data->ahead_AP);
            if (z_mean) memcpy(z_mean + at * d, m, (size_t)d * sizeof *m);
            if (z_cov) memcpy(z_cov + at * dd, P, (size_t)dd * sizeof *P);
            if (y_mean) vdi__lds_emit(lds, m, uh, y_mean + at * n);
            if (y_cov) vdi__lds_emit_covariance(lds, P, data->ahead_CP, y_cov + at * n * n);
        }
    }
    return VDI_OK;
}

/* ---- from the model -------------------------------------------------------------------------- */

VDI__DEF size_t vdi_lds_simulate_work(const vdi_lds *lds) {
    const size_t d = (size_t)lds->desc.d, n = (size_t)lds->desc.n;
    return VDI__CHAIN_PATH_WORK(d) + n * n + n + (lds->desc.diagonal_r ? 0 : VDI__ROOT_WORK(n));
}

VDI__DEF vdi_status vdi_lds_simulate(const vdi_lds *lds, uint64_t seed, int64_t trials, int64_t T,
                                     const double *u, double *work, double *z, double *y,
                                     vdi_error *err) {
    const int64_t d = lds->desc.d, n = lds->desc.n, U = lds->desc.inputs;
    const vdi__chain chain = vdi__lds_chain(lds);
    double *Lr = work + VDI__CHAIN_PATH_WORK(d), *e = Lr + n * n;
    vdi__chain_path path;
    vdi_status status = vdi__chain_path_of(&chain, work, &path, err);
    if (status == VDI_OK) status = vdi__lds_noise_factor(lds, Lr, e + n, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < trials; i++) {
        vdi_rng rng = vdi_rng_make(seed, (uint64_t)i);
        for (int64_t t = 0; t < T; t++) {
            const int64_t at = i * T + t;
            const double *ut = u && U > 0 ? u + at * U : NULL;
            vdi__chain_draw(&chain, &path, t, ut, &rng);
            if (z) memcpy(z + at * d, path.state, (size_t)d * sizeof *z);
            vdi_rng_fill_normal(&rng, VDI_F64, n, e);
            if (!y) continue;
            vdi__lds_emit(lds, path.state, ut, y + at * n);
            vdi__lower_multiply_add(n, Lr, e, y + at * n);
        }
    }
    return VDI_OK;
}
#endif
