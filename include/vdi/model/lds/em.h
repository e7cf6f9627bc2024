/* model/lds/em.h - learning a linear dynamical system by expectation-maximisation
 *
 * Do this:
 *     vdi_lds_init(lds, data, 1, &err);
 *     double before, after;
 *     for (int i = 0; i < 100; i++)
 *         if (vdi_lds_em_step(lds, data, &before, &err) < 0)
 *             puts(err.message);   log likelihood before the step
 *     vdi_lds_log_likelihood(lds, data, NULL, &after, &err);
 *
 * Each step is exact, so the log likelihood never falls (beyond rounding), also in these cases:
 * - The covariances have a floor (desc.r_floor, q_floor). Clipping the eigenvalues of the free
 *   optimum is the exact optimum under "no eigenvalue below the floor", so a channel that never
 *   varies, or a single trial (whose Q0 would shrink to nothing), breaks neither the step nor its
 *   monotonicity. By default it is relative, to each channel's and each latent's own variance, and
 *   never above what the model has, so that the current parameters are feasible at any scale. (A
 *   floor that you set is used as given; the first step raises a model that is below it, at a cost
 *   in likelihood.)
 * - Missing values are latent variables: with a full R the missing part of a bin is filled in by
 *   its conditional mean given the observed part and z, and its conditional covariance is added.
 * - Several processes share a step where data_desc.ranks says so: each has its trials, the sums of
 *   the M-step are those of all, and every process holds the same parameters after it.
 * - A step is a transaction: if anything in it fails, the parameters are as they were.
 * Memory: none is allocated.
 * Source: Shumway and Stoffer 1982; Ghahramani and Hinton 1996; docs/guide/lds.md for the rest.
 */
#ifndef VDI_MODEL_LDS_EM_H
#define VDI_MODEL_LDS_EM_H
#include "smooth.h"

/** One step of EM. `log_likelihood` (may be NULL) receives the sum of log p(y) under the parameters
 * before the step. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_em_step(vdi_lds *lds, vdi_lds_data *data,
                                                 double *log_likelihood, vdi_error *err);

#endif /* VDI_MODEL_LDS_EM_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_EM_C)
#define VDI_MODEL_LDS_EM_C

/* ---- sums for the read-out ---------------------------------------------------------------------
 * y and x = (z, 1, u), z about its mean. Three ways: nothing is missing; R is diagonal; R is
 * full. */

/* The means, as they lie in a->m, become deviations from their mean over all bins. */
VDI__FN vdi_status vdi__lds_centre_latents(vdi_lds_data *a, vdi_error *err) {
    const int64_t d = a->d;
    double *centre = a->sums.centre, count = 0;
    memset(centre, 0, (size_t)d * sizeof *centre);
    for (int64_t i = 0; i < a->trials; i++) {
        vdi__add_rows(a->lengths[i], d, vdi__lds_slot(a, a->m, i), centre);
        count += (double)a->lengths[i];
    }
    vdi_status status = vdi_ranks_sum(&a->ranks, centre, d, err);
    if (status == VDI_OK) status = vdi_ranks_sum(&a->ranks, &count, 1, err);
    if (status < 0) return status;
    for (int64_t k = 0; k < d; k++)
        centre[k] /= count;
    for (int64_t i = 0; i < a->trials; i++) {
        double *z = vdi__lds_slot(a, a->m, i);
        for (int64_t t = 0; t < a->lengths[i]; t++, z += d) {
            for (int64_t k = 0; k < d; k++)
                z[k] -= centre[k];
        }
    }
    return VDI_OK;
}

/* xx (K,K) = [xx +] x x' of x = (m, 1, u) */
VDI__FN void vdi__lds_add_moment(const vdi_lds_data *a, const double *m, const double *u,
                                 double *xx) {
    const int64_t d = a->d, U = a->inputs, K = d + 1 + U;
    for (int64_t i = 0; i < K; i++) {
        const double x = i < d ? m[i] : i == d ? 1 : u[i - d - 1];
        for (int64_t j = 0; j < d; j++)
            xx[i * K + j] += x * m[j];
        xx[i * K + d] += x;
        for (int64_t j = 0; j < U; j++)
            xx[i * K + d + 1 + j] += x * u[j];
    }
}

/* The part of xx (K,K) that the latents' covariances are, summed into S (d,d). */
VDI__FN void vdi__lds_add_spread(const vdi_lds_data *a, const double *S, double *xx) {
    const int64_t d = a->d, K = a->sums.K;
    for (int64_t i = 0; i < d * d; i++)
        xx[i / d * K + i % d] += S[i];
}

/* ---- sums of covariances, as they come ------------------------------------------------------- */

VDI__FN void vdi__lds_clear_sums(vdi_lds_data *a) {
    const size_t block = (size_t)(a->d * a->d) * sizeof(double);
    vdi__chain_clear_covariances(&a->chain);
    if (a->sums.S_channel) memset(a->sums.S_channel, 0, (size_t)a->n * block);
    if (a->sums.S_pattern) memset(a->sums.S_pattern, 0, (size_t)a->pattern.count * block);
}

VDI__FN vdi_status vdi__lds_take_covariances(void *user, int64_t lane, int64_t t, int64_t bins,
                                             const double *S, const double *O, vdi_error *err) {
    vdi_lds_data *a = (vdi_lds_data *)user;
    vdi__lds_sums *s = &a->sums;
    const int64_t n = a->n, dd = a->d * a->d, at = lane * a->T + t;
    const double w = a->lane.weight[lane];
    (void)err;
    vdi__chain_add_covariances(&a->chain, w, a->lane.lengths[lane], t, bins, S, O);
    if (s->S_channel) {
        for (int64_t trial = 0; trial < (int64_t)w; trial++)
            vdi__add_products(n, dd, bins, a->lane.mask + at * n, n, S, dd, s->S_channel, dd);
    }
    for (int64_t i = 0; s->S_pattern && i < bins; i++) {
        const int64_t q = a->pattern.in_lane[at + i];
        vdi_axpby(VDI_F64, (size_t)dd, w, S + i * dd, 1, s->S_pattern + q * dd);
    }
    return VDI_OK;
}

/* ---- sums of means --------------------------------------------------------------------------- */

/* yx += the products of a trial's observations with x; a missing value counts 0. */
VDI__FN void vdi__lds_sum_outputs(vdi_lds_data *a, int64_t trial) {
    vdi__lds_sums *s = &a->sums;
    const int64_t n = a->n, d = a->d, U = a->inputs, K = s->K, rows = a->lengths[trial];
    const double *y = a->y + trial * a->T * n;
    vdi__add_products(n, d, rows, y, n, vdi__lds_slot(a, a->m, trial), d, s->yx, K);
    vdi__add_products(n, U, rows, y, n, a->u + trial * a->T * U, U, s->yx + d + 1, K);
    vdi_sum_rows(VDI_F64, (size_t)rows, (size_t)n, y, (size_t)n, false, s->row);
    for (int64_t j = 0; j < n; j++)
        s->yx[j * K + d] += s->row[j];
}

/* xx += the products of a trial's means and inputs, on and above the diagonal. */
VDI__FN void vdi__lds_sum_regressors(vdi_lds_data *a, int64_t trial) {
    vdi__lds_sums *s = &a->sums;
    const int64_t d = a->d, U = a->inputs, K = s->K, rows = a->lengths[trial];
    const double *z = vdi__lds_slot(a, a->m, trial), *u = a->u + trial * a->T * U;
    vdi__add_products(d, d, rows, z, d, z, d, s->xx, K);
    vdi__add_products(d, U, rows, z, d, u, U, s->xx + d + 1, K);
    vdi__add_products(U, U, rows, u, U, u, U, s->xx + (d + 1) * K + d + 1, K);
    vdi_sum_rows(VDI_F64, (size_t)rows, (size_t)d, z, (size_t)d, false, s->row);
    for (int64_t j = 0; j < d; j++)
        s->xx[j * K + d] += s->row[j];
    for (int64_t t = 0; t < rows; t++) {
        for (int64_t j = 0; j < U; j++)
            s->xx[d * K + d + 1 + j] += u[t * U + j];
    }
    s->xx[d * K + d] += (double)rows;
}

/* Nothing missing: one xx for all channels. */
VDI__FN void vdi__lds_sum_complete(vdi_lds_data *a) {
    vdi__lds_sums *s = &a->sums;
    const int64_t K = s->K;
    vdi__lds_add_spread(a, a->chain.middle, s->xx);
    vdi__lds_add_spread(a, a->chain.begin, s->xx);
    vdi__lds_add_spread(a, a->chain.end, s->xx);
    vdi__lds_add_spread(a, a->chain.alone, s->xx);
    for (int64_t i = 0; i < a->trials; i++) {
        vdi__lds_sum_regressors(a, i);
        vdi__lds_sum_outputs(a, i);
    }
    for (int64_t i = 0; i < K; i++) {
        for (int64_t j = 0; j < i; j++)
            s->xx[i * K + j] = s->xx[j * K + i];
    }
}

/* Diagonal R: a channel sees only its own observed bins, so each has its own xx, all by products
 * with the mask. */
VDI__FN void vdi__lds_sum_masked(vdi_lds_data *a) {
    vdi__lds_sums *s = &a->sums;
    const int64_t d = a->d, n = a->n, U = a->inputs, T = a->T, KK = s->K * s->K;
    memset(s->xx_channel, 0, (size_t)(n * KK) * sizeof(double));
    for (int64_t j = 0; j < n; j++)
        vdi__lds_add_spread(a, s->S_channel + j * d * d, s->xx_channel + j * KK);
    for (int64_t i = 0; i < a->trials; i++) {
        const double *z = vdi__lds_slot(a, a->m, i), *u = a->u + i * T * U;
        const double *mask = a->lane.mask + a->lane.of[i] * T * n;
        for (int64_t t = 0; t < a->lengths[i]; t += VDI__LDS_CHUNK) {
            const int64_t rows = VDI__MIN(a->lengths[i] - t, VDI__LDS_CHUNK);
            memset(s->wide, 0, (size_t)(rows * KK) * sizeof(double));
            for (int64_t r = 0; r < rows; r++)
                vdi__lds_add_moment(a, z + (t + r) * d, u + (t + r) * U, s->wide + r * KK);
            vdi__add_products(n, KK, rows, mask + t * n, n, s->wide, KK, s->xx_channel, KK);
        }
        vdi__lds_sum_outputs(a, i);
    }
}

/* ---- full R with missing values ----------------------------------------------------------------
 * For a bin with observed channels o and missing ones m,
 *     E[y_m | z, y_o] = theta_m x + G (y_o - theta_o x),  G = R_mo R_oo^{-1},  Var = R_mm - G R_om,
 * so with Phi = theta_m - G theta_o every sum is a product of sums over the bins of one pattern. */

/* XX, Yx and Yy of a pattern with o observed channels. */
VDI__FN void vdi__lds_sum_pattern(vdi_lds_data *a, int64_t q, int64_t o) {
    vdi__lds_sums *s = &a->sums;
    const int64_t n = a->n, d = a->d, U = a->inputs, T = a->T, K = s->K;
    const int64_t last = a->pattern.start[q + 1];
    double *Y = a->observed.Y, *X = a->observed.X;
    memset(s->XX, 0, (size_t)(K * K) * sizeof(double));
    vdi__lds_add_spread(a, s->S_pattern + q * d * d, s->XX);
    memset(s->Yx, 0, (size_t)(o * K) * sizeof(double));
    memset(s->Yy, 0, (size_t)(o * o) * sizeof(double));
    for (int64_t at = a->pattern.start[q]; at < last; at += VDI__LDS_CHUNK) {
        const int64_t rows = VDI__MIN(last - at, VDI__LDS_CHUNK);
        for (int64_t r = 0; r < rows; r++) {
            const vdi__lds_run bin = vdi__lds_run_at(a, at + r, at + r + 1);
            const int64_t row = bin.trial * T + bin.t;
            const double *z = vdi__lds_slot(a, a->m, bin.trial) + bin.t * d, *u = a->u + row * U;
            vdi__lds_add_moment(a, z, u, s->XX);
            vdi__lds_gather(a, 1, o, a->y + row * n, Y + r * o);
            memcpy(X + r * K, z, (size_t)d * sizeof(double));
            X[r * K + d] = 1;
            if (U > 0) memcpy(X + r * K + d + 1, u, (size_t)U * sizeof(double));
        }
        vdi__add_products(o, K, rows, Y, o, X, K, s->Yx, K);
        if (o < n) vdi__add_products(o, o, rows, Y, o, Y, o, s->Yy, o);
    }
}

/* gain = R_mo R_oo^{-1}, rest = theta_m - gain theta_o. */
VDI__FN void vdi__lds_predict_missing(const vdi_lds *p, vdi_lds_data *a, int64_t o, int64_t m) {
    vdi__lds_sums *s = &a->sums;
    const int64_t n = a->n, K = s->K, *seen = a->observed.seen, *lost = a->observed.lost;
    const size_t O = (size_t)o, M = (size_t)m;
    double *G = s->gain;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < o; j++)
            G[i * o + j] = p->R[lost[i] * n + seen[j]];
    }
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, O, M, a->observed.factor, O, G, O);
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT, O, M, a->observed.factor, O, G, O);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t k = 0; k < K; k++) {
            double x = s->expected[lost[i] * K + k];
            for (int64_t j = 0; j < o; j++)
                x -= G[i * o + j] * s->expected[seen[j] * K + k];
            s->rest[i * K + k] = x;
        }
    }
}

/* row (K) = Phi_i XX + G_i Yx and cross (o) = Phi_i Yx' + G_i Yy of missing channel i. */
VDI__FN void vdi__lds_expect_missing(vdi_lds_data *a, int64_t i, int64_t o) {
    vdi__lds_sums *s = &a->sums;
    const int64_t K = s->K;
    const double *Phi = s->rest + i * K, *G = s->gain + i * o;
    for (int64_t k = 0; k < K; k++) {
        double x = 0;
        for (int64_t l = 0; l < K; l++)
            x += Phi[l] * s->XX[l * K + k];
        for (int64_t j = 0; j < o; j++)
            x += G[j] * s->Yx[j * K + k];
        s->row[k] = x;
    }
    for (int64_t j = 0; j < o; j++) {
        double x = 0;
        for (int64_t k = 0; k < K; k++)
            x += Phi[k] * s->Yx[j * K + k];
        for (int64_t k = 0; k < o; k++)
            x += G[k] * s->Yy[k * o + j];
        s->cross[j] = x;
    }
}

/* yx_m += row, yy_mo += cross, yy_mm += row Phi' + cross G' + Var. */
VDI__FN void vdi__lds_add_missing(const vdi_lds *p, vdi_lds_data *a, int64_t o, int64_t m,
                                  double count) {
    vdi__lds_sums *s = &a->sums;
    const int64_t n = a->n, K = s->K, *seen = a->observed.seen, *lost = a->observed.lost;
    const double *G = s->gain;
    for (int64_t i = 0; i < m; i++) {
        vdi__lds_expect_missing(a, i, o);
        for (int64_t k = 0; k < K; k++)
            s->yx[lost[i] * K + k] += s->row[k];
        for (int64_t j = 0; j < o; j++) {
            s->yy[lost[i] * n + seen[j]] += s->cross[j];
            s->yy[seen[j] * n + lost[i]] += s->cross[j];
        }
        for (int64_t j = 0; j < m; j++) {
            double x = count * p->R[lost[i] * n + lost[j]];
            for (int64_t k = 0; k < K; k++)
                x += s->row[k] * s->rest[j * K + k];
            for (int64_t k = 0; k < o; k++) {
                x +=
                    s->cross[k] * G[j * o + k] - count * G[i * o + k] * p->R[seen[k] * n + lost[j]];
            }
            s->yy[lost[i] * n + lost[j]] += x;
        }
    }
}

VDI__FN vdi_status vdi__lds_sum_patterns(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    vdi__lds_sums *s = &a->sums;
    const int64_t n = a->n, K = s->K, *seen = a->observed.seen;
    for (int64_t q = 0; q < a->pattern.count; q++) {
        int64_t o = 0, m = 0;
        const vdi_status status = vdi__lds_pattern_factor(p, a, q, &o, err);
        if (status < 0) return status;
        for (int64_t j = 0; j < n; j++)
            if (!a->pattern.mask[q * n + j]) a->observed.lost[m++] = j;
        vdi__lds_sum_pattern(a, q, o);
        for (int64_t i = 0; i < K * K; i++)
            s->xx[i] += s->XX[i];
        for (int64_t i = 0; i < o * K; i++)
            s->yx[seen[i / K] * K + i % K] += s->Yx[i];
        if (m == 0) continue;
        vdi__lds_predict_missing(p, a, o, m);
        vdi__lds_add_missing(p, a, o, m, (double)(a->pattern.start[q + 1] - a->pattern.start[q]));
    }
    vdi__symmetrise(n, s->yy);
    return VDI_OK;
}

/* ---- the M-step of the read-out -------------------------------------------------------------- */

/* By default 1e-6 of the channels' variances, however large they are. */
VDI__FN vdi__floor vdi__lds_r_floor(const vdi_lds *p, const vdi_lds_data *a) {
    vdi__floor f = VDI__ZERO;
    f.least = p->desc.r_floor;
    if (p->desc.r_floor > 0) return f;
    f.least = 1e-6;
    f.scale = a->variance;
    f.now = p->R;
    return f;
}

/* ... of channel j alone. */
VDI__FN double vdi__lds_variance_floor(const vdi_lds *p, const vdi_lds_data *a, int64_t j) {
    const vdi__floor f = vdi__lds_r_floor(p, a);
    return f.scale ? VDI__MIN(f.least * f.scale[j], p->R[j * (a->n + 1)]) : f.least;
}

VDI__FN vdi_status vdi__lds_sum_readout(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    vdi__lds_sums *s = &a->sums;
    const int64_t d = a->d, n = a->n, U = a->inputs, K = s->K;
    for (int64_t j = 0; j < n; j++) {
        double *row = s->expected + j * K;
        const double level = vdi_dot(VDI_F64, (size_t)d, p->C + j * d, s->centre);
        memcpy(row, p->C + j * d, (size_t)d * sizeof(double));
        row[d] = p->b[j] - a->y_mean[j] + level;
        if (U > 0) memcpy(row + d + 1, p->D + j * U, (size_t)U * sizeof(double));
    }
    memset(s->xx, 0, (size_t)(K * K) * sizeof(double));
    memset(s->yx, 0, (size_t)(n * K) * sizeof(double));
    memcpy(s->yy, a->yy, (size_t)(a->diagonal_r ? n : n * n) * sizeof(double));
    if (a->missing && !a->diagonal_r) return vdi__lds_sum_patterns(p, a, err);
    if (a->missing)
        vdi__lds_sum_masked(a);
    else
        vdi__lds_sum_complete(a);
    return VDI_OK;
}

/* ... over the trials of all processes. */
VDI__FN vdi_status vdi__lds_sum_ranks(vdi_lds_data *a, vdi_error *err) {
    vdi__lds_sums *s = &a->sums;
    const int64_t n = a->n, K = s->K;
    vdi_status status = vdi_ranks_sum(&a->ranks, s->yy, a->diagonal_r ? n : n * n, err);
    if (status == VDI_OK) status = vdi_ranks_sum(&a->ranks, s->yx, n * K, err);
    if (status == VDI_OK) status = vdi_ranks_sum(&a->ranks, s->xx, K * K, err);
    if (status == VDI_OK && s->xx_channel)
        status = vdi_ranks_sum(&a->ranks, s->xx_channel, n * K * K, err);
    return status;
}

/* The regression of channels `first` ... on (z, u) from the sums, about the means; xx (K,K) is
 * theirs. The constant of a frozen b is none that is sought. */
VDI__FN void vdi__lds_regression(const vdi_lds *p, vdi_lds_data *a, int64_t first, int64_t rows,
                                 const double *xx) {
    vdi__lds_sums *s = &a->sums;
    vdi__regression *g = &s->g;
    const int64_t d = a->d, K = s->K, k = K - 1;
    g->rows = rows;
    g->count = xx[d * K + d];
    g->centred = true;
    g->constant = !(p->desc.freeze & VDI_LDS_BIAS);
    for (int64_t i = 0; i < k; i++)
        g->mean_x[i] = xx[(i + (i >= d)) * K + d] / g->count;
    for (int64_t i = 0; i < k * k; i++) {
        const int64_t r = i / k, c = i % k;
        g->xx[i] = xx[(r + (r >= d)) * K + c + (c >= d)] - g->count * g->mean_x[r] * g->mean_x[c];
    }
    for (int64_t r = 0; r < rows; r++) {
        const double *yx = s->yx + (first + r) * K;
        g->mean_y[r] = yx[d] / g->count;
        for (int64_t c = 0; c < k; c++)
            g->yx[r * k + c] = yx[c + (c >= d)] - g->count * g->mean_y[r] * g->mean_x[c];
    }
    for (int64_t i = 0; a->diagonal_r && i < rows; i++)
        g->yy[i] = s->yy[first + i] - g->count * g->mean_y[i] * g->mean_y[i];
    for (int64_t i = 0; !a->diagonal_r && i < rows * rows; i++)
        g->yy[i] = s->yy[i] - g->count * g->mean_y[i / rows] * g->mean_y[i % rows];
    for (int64_t i = 0; i < d; i++)
        g->mean_x[i] += s->centre[i];
    for (int64_t r = 0; !g->constant && r < rows; r++)
        g->mean_y[r] -= p->b[first + r] - a->y_mean[first + r];
}

/* The rows of theta as they are. */
VDI__FN void vdi__lds_theta(const vdi_lds *p, int64_t first, int64_t rows, double *theta) {
    const int64_t d = p->desc.d, U = p->desc.inputs, K = d + U;
    for (int64_t r = 0; r < rows; r++) {
        memcpy(theta + r * K, p->C + (first + r) * d, (size_t)d * sizeof(double));
        if (U > 0) memcpy(theta + r * K + d, p->D + (first + r) * U, (size_t)U * sizeof(double));
    }
}

/* C, D and b of the channels that the regression is of; `tied` (n,K): what they are, under ties. */
VDI__FN vdi_status vdi__lds_update_rows(const vdi_lds *p, vdi_lds *next, vdi_lds_data *a,
                                        int64_t first, const double *tied, vdi_error *err) {
    const vdi__regression *g = &a->sums.g;
    const int64_t d = a->d, U = a->inputs;
    double *theta = a->sums.theta;
    vdi_status status = VDI_OK;
    for (int64_t i = 0; i < g->K; i++)
        g->free_column[i] = !(p->desc.freeze & (i < d ? VDI_LDS_C : VDI_LDS_D));
    vdi__lds_theta(p, first, g->rows, theta);
    for (int64_t i = 0; tied && i < g->rows * g->K; i++)
        if (g->free_column[i % g->K]) theta[i] = tied[first * g->K + i];
    if (!tied) status = vdi__regress(g, U > 0 ? "C, D" : "C", theta, err);
    for (int64_t r = 0; status == VDI_OK && r < g->rows; r++) {
        const int64_t j = first + r;
        memcpy(next->C + j * d, theta + r * g->K, (size_t)d * sizeof(double));
        if (U > 0) memcpy(next->D + j * U, theta + r * g->K + d, (size_t)U * sizeof(double));
        if (g->constant) next->b[j] = vdi__regression_level(g, theta, r, false) + a->y_mean[j];
    }
    return status;
}

/* theta = (C, D) of all channels under ties, into sums.tied. */
VDI__FN vdi_status vdi__lds_update_tied(const vdi_lds *p, vdi_lds_data *a, vdi_error *err) {
    vdi__lds_sums *s = &a->sums;
    const int64_t n = a->n, KK = s->K * s->K, rows = s->xx_channel ? 1 : n;
    const vdi_status status = vdi__ties_weigh(s->ties, "R", a->diagonal_r, p->R, err);
    if (status < 0) return status;
    vdi__ties_clear(s->ties);
    vdi__lds_theta(p, 0, n, s->tied);
    for (int64_t j = 0; j < n; j += rows) {
        const double *xx = s->xx_channel ? s->xx_channel + j * KK : s->xx;
        if (!(xx[a->d * s->K + a->d] > 0)) continue;
        vdi__lds_regression(p, a, j, rows, xx);
        vdi__ties_add(s->ties, &s->g, j, j + rows, s->tied);
    }
    vdi__ties_solve(s->ties, s->tied);
    return VDI_OK;
}

/* Variances of what theta leaves, channel by channel. */
VDI__FN void vdi__lds_update_variances(const vdi_lds *p, const vdi_lds_data *a, int64_t first,
                                       double *R) {
    vdi__regression one = a->sums.g;
    const int64_t rows = one.rows;
    one.rows = 1;
    for (int64_t r = 0; r < rows; r++) {
        double variance = 0;
        one.yy = a->sums.g.yy + r;
        one.yx = a->sums.g.yx + r * one.K;
        one.mean_y = a->sums.g.mean_y + r;
        vdi__residual_covariance(&one, a->sums.theta + r * one.K, &variance);
        double *to = R + (first + r) * (a->n + 1);
        if (*to != 0 || p->desc.r_floor > 0) { /* without noise it stays so */
            *to = VDI__MAX(variance, vdi__lds_variance_floor(p, a, first + r));
        }
    }
}

/* C, D, b and R of `next`. */
VDI__FN vdi_status vdi__lds_update_readout(const vdi_lds *p, vdi_lds *next, vdi_lds_data *a,
                                           vdi_error *err) {
    vdi__lds_sums *s = &a->sums;
    const int64_t n = a->n, KK = s->K * s->K, rows = s->xx_channel ? 1 : n;
    const vdi__floor floor_r = vdi__lds_r_floor(p, a);
    const bool free_r = !(p->desc.freeze & VDI_LDS_R);
    const vdi_status solved = s->ties ? vdi__lds_update_tied(p, a, err) : VDI_OK;
    if (solved < 0) return solved;
    for (int64_t j = 0; j < n; j += rows) {
        const double *xx = s->xx_channel ? s->xx_channel + j * KK : s->xx;
        /* a channel that is never seen keeps its row */
        if (!(xx[a->d * s->K + a->d] > 0)) continue;
        vdi__lds_regression(p, a, j, rows, xx);
        const vdi_status status =
            vdi__lds_update_rows(p, next, a, j, s->ties ? s->tied : NULL, err);
        if (status < 0) return status;
        if (a->diagonal_r && free_r) vdi__lds_update_variances(p, a, j, next->R);
    }
    if (a->diagonal_r || !free_r) return VDI_OK;
    vdi__residual_covariance(&s->g, s->theta, next->R);
    return vdi__apply_floor(n, &floor_r, next->R, s->eigen, err);
}

/* ---- the step -------------------------------------------------------------------------------- */

VDI__FN vdi__chain_moments vdi__lds_chain_moments(const vdi_lds_data *a) {
    vdi__chain_moments q = VDI__ZERO;
    q.trials = a->trials;
    q.T = a->T;
    q.lanes = a->lane.count;
    q.lengths = a->lengths;
    q.lane_of = a->lane.of;
    q.row_of = a->lane.row_of;
    q.lane_lengths = a->lane.lengths;
    q.lane_weight = a->lane.weight;
    q.m = a->m;
    q.centre = a->sums.centre;
    q.u = a->u;
    q.ranks = a->ranks;
    return q;
}

VDI__DEF vdi_status vdi_lds_em_step(vdi_lds *lds, vdi_lds_data *data, double *log_likelihood,
                                    vdi_error *err) {
    static const char where[] = "vdi_lds_em_step";
    vdi__lds_sink sink = VDI__ZERO;
    vdi_status status = vdi__lds_fits(lds, data, where, err);
    sink.take = vdi__lds_take_covariances;
    sink.user = data;
    vdi__lds_clear_sums(data);
    if (status == VDI_OK) status = vdi__lds_posterior(lds, data, &sink, err);
    status = vdi_ranks_agree(&data->ranks, status, err);
    if (status < 0) return status;
    vdi_lds next = vdi__lds_next(lds);
    const vdi__chain now = vdi__lds_chain(lds), then = vdi__lds_chain(&next);
    const vdi__chain_moments moments = vdi__lds_chain_moments(data);
    double ll = vdi_sum(VDI_F64, (size_t)data->trials, data->ll);
    status = vdi_ranks_sum(&data->ranks, &ll, 1, err);
    if (status == VDI_OK) status = vdi__lds_centre_latents(data, err);
    if (status < 0) return status;
    status = vdi_ranks_agree(&data->ranks, vdi__lds_sum_readout(lds, data, err), err);
    if (status == VDI_OK) status = vdi__lds_sum_ranks(data, err);
    if (status == VDI_OK) status = vdi__lds_update_readout(lds, &next, data, err);
    if (status == VDI_OK) status = vdi__chain_update(&now, &then, &moments, &data->chain, err);
    if (status == VDI_OK)
        status = vdi__block_commit(lds->param_count, lds->update, lds->A, where, err);
    if (status == VDI_OK && log_likelihood) *log_likelihood = ll;
    return status;
}
#endif
