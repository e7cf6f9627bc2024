/* model/lds/start.h - where EM begins: a linear dynamical system by subspace identification
 *
 * Do this:
 *     vdi_lds_init(lds, data, 1, &err);                  seed 1
 *     vdi_lds_em_step(lds, data, &log_likelihood, &err);
 *
 * Whatever the preceding bins predict of y_t passes through the state: y_t is regressed on
 * (y_{t-1}, u_{t-1}, ..., u_t), and the principal components of the part that comes from the past,
 * in units of what it leaves, are an estimate of z_t. A, B and C, D, b are then regressions on it.
 * Principal components of y alone would take a large input, or a noisy channel, for a latent, and
 * EM rarely recovers from that.
 * Memory: none is allocated, except for trials in windows (lds.h): as much as the data, freed
 * before the call returns.
 * Source: the state of N4SID (Van Overschee and De Moor 1994) with a horizon of one bin.
 */
#ifndef VDI_MODEL_LDS_START_H
#define VDI_MODEL_LDS_START_H
#include "em.h"
#include "principal.h"

/** A start for EM from the data (see above; principal components by subspace iteration from `seed`,
 * missing values count as the channel's mean, with more than 24 channels the first d principal
 * components stand for y). Leaves frozen parameters alone. It needs all trials: where processes
 * share them, each begins with data without ranks and destroys those. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_init(vdi_lds *lds, vdi_lds_data *data, uint64_t seed,
                                              vdi_error *err);

#endif /* VDI_MODEL_LDS_START_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_START_C)
#define VDI_MODEL_LDS_START_C

/* ---- regressions ----------------------------------------------------------------------------- */

/* theta (rows,K) in place of yx: yx xx^{-1}, with a ridge of 1e-6 so that columns that say the same
 * share it. xx is its factor then. */
VDI__FN vdi_status vdi__lds_start_solve(int64_t K, double *xx, int64_t rows, double *yx,
                                        vdi_error *err) {
    const size_t k = (size_t)K, r = (size_t)rows;
    for (int64_t i = 0; i < K; i++) {
        double *own = xx + i * K + i;
        *own = *own > 0 ? *own * (1 + 1e-6) : 1;
    }
    const vdi_status status = vdi_cholesky(VDI_F64, k, xx, k, err);
    if (status < 0) return status;
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, k, r, xx, k, yx, k);
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT, k, r, xx, k, yx, k);
    return VDI_OK;
}

/* Row x of bin t: what is before it, f_{t-1}, u_{t-1}, ..., then u_t and 1. */
VDI__FN void vdi__lds_start_past(const vdi_lds_data *a, const double *f, int64_t trial, int64_t t,
                                 double *x) {
    const int64_t M = a->start.M, U = a->inputs, bin = trial * a->T + t;
    for (int64_t l = 1; l <= a->start.lag; l++, x += M + U) {
        memcpy(x, f + (bin - l) * M, (size_t)M * sizeof *x);
        if (U > 0) memcpy(x + M, a->u + (bin - l) * U, (size_t)U * sizeof *x);
    }
    if (U > 0) memcpy(x, a->u + bin * U, (size_t)U * sizeof *x);
    x[U] = 1;
}

/* The regression of f (trials,T,M) on its past: theta (M,K) into yx, what it leaves into `rest`
 * (M). */
VDI__FN vdi_status vdi__lds_start_regress_past(vdi_lds_data *a, const double *f, vdi_error *err) {
    vdi__lds_start *s = &a->start;
    const int64_t M = s->M, K = s->K, T = a->T;
    double count = 0;
    memset(s->xx, 0, (size_t)(K * K) * sizeof(double));
    memset(s->yx, 0, (size_t)(M * K) * sizeof(double));
    memset(s->rest, 0, (size_t)M * sizeof(double));
    for (int64_t i = 0; i < a->trials; i++) {
        for (int64_t t = s->lag; t < a->lengths[i]; t += VDI__LDS_CHUNK) {
            const int64_t rows = VDI__MIN(a->lengths[i] - t, VDI__LDS_CHUNK);
            const double *y = f + (i * T + t) * M;
            for (int64_t r = 0; r < rows; r++)
                vdi__lds_start_past(a, f, i, t + r, s->X + r * K);
            vdi__add_products(K, K, rows, s->X, K, s->X, K, s->xx, K);
            vdi__add_products(M, K, rows, y, M, s->X, K, s->yx, K);
            for (int64_t k = 0; k < rows * M; k++)
                s->rest[k % M] += y[k] * y[k];
            count += (double)rows;
        }
    }
    memcpy(s->theta, s->yx, (size_t)(M * K) * sizeof(double));
    const vdi_status status = vdi__lds_start_solve(K, s->xx, M, s->theta, err);
    for (int64_t j = 0; status == VDI_OK && j < M; j++) {
        const double of = s->rest[j];
        s->rest[j] -= vdi_dot(VDI_F64, (size_t)K, s->theta + j * K, s->yx + j * K);
        s->rest[j] = VDI__MAX(s->rest[j], 1e-12 * of) / count;
    }
    return status;
}

/* f becomes what its past alone says of it, in units of what that leaves and about its mean; 0
 * where there is no past. From the end on: a row is needed until those after it are done. */
VDI__FN void vdi__lds_start_predict(vdi_lds_data *a, double *f) {
    vdi__lds_start *s = &a->start;
    const int64_t M = s->M, K = s->K, past = (M + a->inputs) * s->lag;
    double count = 0;
    memset(s->mean, 0, (size_t)M * sizeof(double));
    for (int64_t i = 0; i < a->trials; i++) {
        for (int64_t t = a->T - 1; t >= 0; t--) {
            double *y = f + (i * a->T + t) * M;
            memset(s->X + K, 0, (size_t)M * sizeof(double));
            if (t >= s->lag && t < a->lengths[i]) {
                vdi__lds_start_past(a, f, i, t, s->X);
                for (int64_t j = 0; j < M; j++)
                    s->X[K + j] = vdi_dot(VDI_F64, (size_t)past, s->theta + j * K, s->X);
                count++;
            }
            for (int64_t j = 0; j < M; j++) {
                y[j] = s->rest[j] > 0 ? s->X[K + j] / sqrt(s->rest[j]) : 0;
                s->mean[j] += y[j];
            }
        }
    }
    for (int64_t i = 0; i < a->trials; i++) {
        for (int64_t k = s->lag * M; k < a->lengths[i] * M; k++)
            f[i * a->T * M + k] -= s->mean[k % M] / count;
    }
}

/* ---- the state ------------------------------------------------------------------------------- */

/* Scores (trials,T,d) to unit variance over `count` bins. More latents than there are directions
 * get noise: EM would leave one that reaches no channel where it is. */
VDI__FN void vdi__lds_start_scale(const vdi_lds_data *a, double count, uint64_t seed,
                                  double *score) {
    const int64_t rows = a->trials * a->T, d = a->d;
    vdi_rng rng = vdi_rng_make(seed, 1);
    double largest = 0;
    for (int64_t k = 0; k < d; k++) {
        double q = 0;
        for (int64_t r = 0; r < rows; r++)
            q += score[r * d + k] * score[r * d + k];
        largest = VDI__MAX(largest, q); /* of the first: they fall */
        const bool there = q > 1e-20 * largest;
        for (int64_t r = 0; r < rows; r++)
            score[r * d + k] = there ? score[r * d + k] * sqrt(count / q) : vdi_rng_normal(&rng);
    }
}

/* The scores that stand for the state, where they lie. From the past if there are enough bins for
 * the regression, else the principal components of y. */
VDI__FN vdi_status vdi__lds_start_state(vdi_lds_data *a, uint64_t seed, double **score,
                                        vdi_error *err) {
    vdi__lds_start *s = &a->start;
    const int64_t n = a->n, d = a->d, rows = a->trials * a->T;
    double *f = a->yt, *z = a->yd, count = 0, bins = 0;
    for (int64_t k = 0; k < rows * n; k++)
        a->yt[k] = a->y[k] / sqrt(a->variance[k % n]);
    if (s->M < n) { /* M is d */
        vdi__principal(rows, n, d, a->yt, seed, s->V, a->yd);
        f = a->yd;
        z = a->yt;
    }
    for (int64_t i = 0; i < a->trials; i++) {
        bins += (double)VDI__MAX(a->lengths[i] - s->lag, 0);
        count += (double)a->lengths[i];
    }
    if (bins >= 4 * (double)s->K && d <= s->M) {
        const vdi_status status = vdi__lds_start_regress_past(a, f, err);
        if (status < 0) return status;
        vdi__lds_start_predict(a, f);
        count = bins;
    } else if (s->M < n) {
        z = a->yd;
        f = NULL; /* they are there */
    }
    if (f) vdi__principal(rows, s->M, d, f, seed, s->V, z);
    vdi__lds_start_scale(a, count, seed, z);
    *score = z;
    return VDI_OK;
}

/* ---- the parameters -------------------------------------------------------------------------- */

/* Row x = (z_{t-step}, u_t, 1) of bin t. */
VDI__FN void vdi__lds_start_row(const vdi_lds_data *a, const double *score, int64_t bin,
                                int64_t step, double *x) {
    const int64_t d = a->d, U = a->inputs;
    memcpy(x, score + (bin - step) * d, (size_t)d * sizeof *x);
    if (U > 0) memcpy(x + d, a->u + bin * U, (size_t)U * sizeof *x);
    x[d + U] = 1;
}

/* The regression of y (trials,T,n) on those rows: theta (n,d+U+1), and `rest` (n), the variances
 * that it leaves; the bins of the start's lag are left out. */
VDI__FN vdi_status vdi__lds_start_regress(vdi_lds_data *a, const double *score, const double *y,
                                          int64_t n, int64_t step, vdi_error *err) {
    vdi__lds_start *s = &a->start;
    const int64_t K = a->d + a->inputs + 1;
    double count = 0;
    memset(s->xx, 0, (size_t)(K * K) * sizeof(double));
    memset(s->yx, 0, (size_t)(n * K) * sizeof(double));
    memset(s->rest, 0, (size_t)n * sizeof(double));
    for (int64_t i = 0; i < a->trials; i++) {
        const int64_t first = a->lengths[i] > 2 * s->lag ? s->lag + step : step;
        for (int64_t t = first; t < a->lengths[i]; t += VDI__LDS_CHUNK) {
            const int64_t rows = VDI__MIN(a->lengths[i] - t, VDI__LDS_CHUNK), bin = i * a->T + t;
            for (int64_t r = 0; r < rows; r++)
                vdi__lds_start_row(a, score, bin + r, step, s->X + r * K);
            vdi__add_products(K, K, rows, s->X, K, s->X, K, s->xx, K);
            vdi__add_products(n, K, rows, y + bin * n, n, s->X, K, s->yx, K);
            for (int64_t k = 0; k < rows * n; k++)
                s->rest[k % n] += y[bin * n + k] * y[bin * n + k];
            count += (double)rows;
        }
    }
    memcpy(s->theta, s->yx, (size_t)(n * K) * sizeof(double));
    const vdi_status status = vdi__lds_start_solve(K, s->xx, n, s->theta, err);
    for (int64_t j = 0; status == VDI_OK && j < n; j++) {
        s->rest[j] -= vdi_dot(VDI_F64, (size_t)K, s->theta + j * K, s->yx + j * K);
        s->rest[j] = VDI__MAX(s->rest[j], 0) / VDI__MAX(count, 1);
    }
    return status;
}

/* C, D, b, R: y on (z, u, 1). The scores are only near z, so that what is left is too much for
 * R. */
VDI__FN vdi_status vdi__lds_start_readout(vdi_lds *next, vdi_lds_data *a, const double *score,
                                          vdi_error *err) {
    const int64_t d = a->d, n = a->n, U = a->inputs, K = d + U + 1;
    const unsigned freeze = next->desc.freeze;
    const vdi_status status = vdi__lds_start_regress(a, score, a->y, n, 0, err);
    for (int64_t j = 0; status == VDI_OK && j < n; j++) {
        const double *row = a->start.theta + j * K, rest = a->start.rest[j];
        const double variance = a->variance[j];
        const double least = next->desc.r_floor > 0 ? next->desc.r_floor : 1e-6 * variance;
        if (!(freeze & VDI_LDS_C)) memcpy(next->C + j * d, row, (size_t)d * sizeof *row);
        if (!(freeze & VDI_LDS_D) && U > 0)
            memcpy(next->D + j * U, row + d, (size_t)U * sizeof *row);
        if (!(freeze & VDI_LDS_BIAS)) next->b[j] = a->y_mean[j] + row[d + U];
        if (freeze & VDI_LDS_R) continue;
        memset(next->R + j * n, 0, (size_t)n * sizeof(double));
        next->R[j * n + j] = VDI__MAX(0.5 * rest, least);
    }
    return status;
}

/* A, B, Q: z_t on (z_{t-1}, u_t, 1). */
VDI__FN vdi_status vdi__lds_start_dynamics(vdi_lds *next, vdi_lds_data *a, const double *score,
                                           vdi_error *err) {
    const int64_t d = a->d, U = a->inputs, K = d + U + 1;
    const unsigned freeze = next->desc.freeze;
    const vdi_status status = vdi__lds_start_regress(a, score, score, d, 1, err);
    if (status < 0) return status;
    if (!(freeze & VDI_LDS_Q)) memset(next->Q, 0, (size_t)(d * d) * sizeof(double));
    for (int64_t i = 0; i < d; i++) {
        const double *row = a->start.theta + i * K;
        if (!(freeze & VDI_LDS_A)) memcpy(next->A + i * d, row, (size_t)d * sizeof *row);
        if (!(freeze & VDI_LDS_B) && U > 0)
            memcpy(next->B + i * U, row + d, (size_t)U * sizeof *row);
        if (!(freeze & VDI_LDS_Q)) next->Q[i * d + i] = VDI__MAX(a->start.rest[i], 0.02);
    }
    return VDI_OK;
}

/* x0 = 0, Q0 = I. */
VDI__FN void vdi__lds_start_first(vdi_lds *next) {
    const int64_t d = next->desc.d;
    const unsigned freeze = next->desc.freeze;
    for (int64_t i = 0; !(freeze & VDI_LDS_Q0) && i < d * d; i++)
        next->Q0[i] = i / d == i % d;
    if (!(freeze & VDI_LDS_X0)) memset(next->x0, 0, (size_t)d * sizeof(double));
}

/* yt and yd, for the time of the start, of trials that go by windows: yd lies in the means. */
VDI__FN vdi_status vdi__lds_start_scratch(vdi_lds_data *a, bool wanted, vdi_error *err) {
    vdi_allocator *memory = &a->arena.allocator;
    const size_t rows = vdi_mul_size((size_t)a->trials, (size_t)a->T);
    const size_t bytes = vdi_mul_size(vdi_mul_size(rows, (size_t)a->n), sizeof(double));
    if (a->whole) return VDI_OK;
    if (!wanted) {
        vdi_free(memory, a->yt, bytes);
        a->yt = a->yd = NULL;
        memset(a->m, 0, vdi__lds_means(a) * sizeof(double));
        return VDI_OK;
    }
    a->yt = (double *)vdi_alloc(memory, bytes);
    a->yd = a->m;
    if (a->yt) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_lds_init",
                         "no memory for a start from %lld trials of %lld bins of %lld channels",
                         (long long)a->trials, (long long)a->T, (long long)a->n);
}

VDI__DEF vdi_status vdi_lds_init(vdi_lds *lds, vdi_lds_data *data, uint64_t seed, vdi_error *err) {
    static const char where[] = "vdi_lds_init";
    double *score = NULL;
    vdi_status status = vdi__lds_fits(lds, data, where, err);
    if (status == VDI_OK) status = vdi__lds_start_scratch(data, true, err);
    if (status < 0) return status;
    if (data->ranks.count > 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "these data are a share of %d processes: begin with data without "
                             "ranks, then make those with them",
                             (int)data->ranks.count);
    }
    vdi_lds next = vdi__lds_next(lds);
    status = vdi__lds_start_state(data, seed, &score, err);
    if (status == VDI_OK) status = vdi__lds_start_readout(&next, data, score, err);
    if (status == VDI_OK) status = vdi__lds_start_dynamics(&next, data, score, err);
    (void)vdi__lds_start_scratch(data, false, err);
    if (status < 0) return status;
    vdi__lds_start_first(&next);
    return vdi__block_commit(lds->param_count, lds->update, lds->A, where, err);
}
#endif
