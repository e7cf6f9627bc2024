/* model/plds/start.h - where EM begins: a Poisson linear dynamical system from principal components
 *
 * Do this:
 *     vdi_plds_init(plds, counts, 1, &err);              seed 1
 *     vdi_plds_em_step(plds, counts, &elbo, &err);
 *
 * Memory: none is allocated.
 */
#ifndef VDI_MODEL_PLDS_START_H
#define VDI_MODEL_PLDS_START_H
#include "../lds/principal.h"
#include "em.h"

/** A start for EM: principal components of the logarithm of smoothed counts (Gaussian kernel,
 * standard deviation 3 bins; subspace iteration from `seed`), A = 0.95 I, Q = (1 - 0.95^2) I, x0 =
 * 0, Q0 = I. Leaves frozen parameters alone. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_init(vdi_plds *plds, vdi_plds_data *data, uint64_t seed,
                                               vdi_error *err);
#endif /* VDI_MODEL_PLDS_START_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_START_C)
#define VDI_MODEL_PLDS_START_C

/* The reach of the smoothing, three standard deviations. */
enum { VDI__PLDS_REACH = 9 };

/* The weighted mean of neuron j's counts about bin t; -1 if none of them is there. */
VDI__FN double vdi__plds_smoothed(const vdi_plds_data *a, int64_t trial, int64_t t, int64_t j,
                                  const double *kernel) {
    const int64_t first = VDI__MAX(t - VDI__PLDS_REACH, 0);
    const int64_t last = VDI__MIN(t + VDI__PLDS_REACH, a->lengths[trial] - 1);
    double sum = 0, weight = 0;
    for (int64_t s = first; s <= last; s++) {
        const int64_t at = (trial * a->T + s) * a->n + j;
        if (a->offset && !(a->offset[at] > VDI__PLDS_NEVER)) continue;
        const double k = kernel[s > t ? s - t : t - s];
        sum += k * a->y[at];
        weight += k;
    }
    return weight > 0 ? sum / weight : -1;
}

/* Columns of `spare` less their means. */
VDI__FN void vdi__plds_centre(vdi_plds_data *a) {
    const int64_t n = a->n, T = a->T;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t i = 0; i < a->trials; i++) {
            for (int64_t t = 0; t < a->lengths[i]; t++)
                sum += a->spare[(i * T + t) * n + j];
        }
        for (int64_t i = 0; i < a->trials; i++) {
            for (int64_t t = 0; t < a->lengths[i]; t++)
                a->spare[(i * T + t) * n + j] -= sum / (double)a->rows;
        }
    }
}

/* X = log(smoothed + 0.1 mean) into `spare`, centred by column; a bin without a count near it
 * counts as the mean. */
VDI__FN void vdi__plds_smooth_log(vdi_plds_data *a, const double *mean) {
    const int64_t n = a->n, T = a->T;
    double kernel[VDI__PLDS_REACH + 1];
    for (int k = 0; k <= VDI__PLDS_REACH; k++)
        kernel[k] = exp(-0.5 * (k / 3.0) * (k / 3.0));
    memset(a->spare, 0, (size_t)(a->trials * T * n) * sizeof(double));
    for (int64_t i = 0; i < a->trials; i++) {
        double *x = a->spare + i * T * n;
        for (int64_t t = 0; t < a->lengths[i]; t++) {
            for (int64_t j = 0; j < n; j++) {
                const double smoothed = vdi__plds_smoothed(a, i, t, j, kernel);
                x[t * n + j] = (smoothed >= 0 ? smoothed : mean[j]) + 0.1 * mean[j];
            }
        }
        vdi_log(VDI_F64, (size_t)(a->lengths[i] * n), x, x);
    }
    vdi__plds_centre(a);
}

/* C: the axes scaled to latents of unit variance. */
VDI__FN void vdi__plds_start_loadings(vdi_plds *next, const vdi_plds_data *a, const double *V,
                                      const double *score) {
    const int64_t d = a->d, n = a->n, rows = a->trials * a->T;
    for (int64_t k = 0; k < d; k++) {
        double square = 0;
        for (int64_t r = 0; r < rows; r++)
            square += score[r * d + k] * score[r * d + k];
        for (int64_t j = 0; j < n; j++)
            next->C[j * d + k] = V[j * d + k] * sqrt(square / (double)a->rows);
    }
}

/* b: the log of the mean rate, less what the latents add to it: E exp(c'z) = exp(|c|^2 / 2). */
VDI__FN double vdi__plds_start_bias(const vdi_plds *next, const vdi_plds_data *a, int64_t j,
                                    double mean) {
    const double *c = next->C + j * a->d;
    double exposure = 0, b = log(mean) - a->log_width;
    for (int64_t i = 0; a->offset && i < a->trials; i++) {
        for (int64_t t = 0; t < a->lengths[i]; t++)
            exposure += exp(a->offset[(i * a->T + t) * a->n + j]);
    }
    if (!a->offset) exposure = a->seen[j];
    if (exposure > 0 && exposure < HUGE_VAL) b += log(a->seen[j] / exposure);
    for (int64_t k = 0; k < a->d; k++)
        b -= 0.5 * c[k] * c[k];
    return b;
}

VDI__DEF vdi_status vdi_plds_init(vdi_plds *plds, vdi_plds_data *data, uint64_t seed,
                                  vdi_error *err) {
    static const char where[] = "vdi_plds_init";
    const int64_t d = data->d, n = data->n, rows = data->trials * data->T;
    const unsigned freeze = plds->desc.freeze;
    const vdi_status status = vdi__plds_fits(plds, data, where, err);
    if (status < 0) return status;
    vdi_plds next = vdi__plds_next(plds);
    /* (n), (n,d), (trials,T,d) */
    double *mean = data->readout.b, *V = data->moment, *score = data->q.m;
    data->warm = 0;
    for (int64_t j = 0; j < n; j++)
        mean[j] = VDI__MAX(data->seen[j] > 0 ? data->total[j] / data->seen[j] : 0, 1e-3);
    vdi__plds_smooth_log(data, mean);
    vdi__principal(rows, n, d, data->spare, seed, V, score);
    if (!(freeze & VDI_LDS_C)) vdi__plds_start_loadings(&next, data, V, score);
    for (int64_t j = 0; j < n && !(freeze & VDI_LDS_BIAS); j++)
        next.b[j] = vdi__plds_start_bias(&next, data, j, mean[j]);
    const vdi__chain chain = vdi__plds_chain(&next);
    vdi__chain_start(&chain, freeze);
    return vdi__block_commit(plds->param_count, plds->update, plds->A, where, err);
}
#endif
