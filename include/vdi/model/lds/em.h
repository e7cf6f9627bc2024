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
 * Each step is exact, so the log likelihood never falls (beyond rounding). What keeps it so in hard
 * cases:
 * - The covariances have a floor (desc.r_floor, q_floor). Clipping the eigenvalues of the free
 *   optimum is the exact optimum under "no eigenvalue below the floor", so a channel that never
 *   varies, or a single trial (whose Q0 would shrink to nothing), neither breaks the step nor its
 *   monotony.
 * - Missing values are latent variables: with a full R the missing part of a bin is filled in by
 *   its conditional mean given the observed part and z, and its conditional covariance is added.
 * - A step is a transaction: if anything in it fails, the parameters are as they were.
 * Source: Shumway and Stoffer 1982; Ghahramani and Hinton 1996; docs/guide/lds.md for the rest.
 */
#ifndef VDI_MODEL_LDS_EM_H
#define VDI_MODEL_LDS_EM_H
#include "lds.h"

/** A start for EM: principal components of y (subspace iteration from `seed`; missing values count
 * as the channel's mean), dynamics by
 *  regressing their scores on the bin before. Leaves frozen parameters alone. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_init(vdi_lds *lds, vdi_lds_data *data, uint64_t seed,
                                              vdi_error *err);
/** One step of EM. `log_likelihood` (may be NULL) receives the sum of log p(y) under the parameters
 * before the step. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_em_step(vdi_lds *lds, vdi_lds_data *data,
                                                 double *log_likelihood, vdi_error *err);

#endif /* VDI_MODEL_LDS_EM_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_EM_C)
#define VDI_MODEL_LDS_EM_C

/* What the M-step needs to know of the posterior: second moments of the regressors x = (z, 1, u)
 * and their products with targets. */
typedef struct vdi__lds_stats {
    int64_t K, Kd;           /* d + 1 + inputs for the read-out, d + inputs for the dynamics */
    double *S11, *S10, *S00; /* (d,d) z_t z_t', (d,Kd) z_t (z_{t-1},u_t)', (Kd,Kd), over t >= 2 */
    double *first;           /* (d,d) sum over trials of Cov(z_1) */
    double steps, trials;
    double *Sxx, *Syx, *Syy; /* (K,K), (n,K), (n) or (n,n) */
    double *Sxx_channel;     /* (n,K*K) where each channel has its own, else NULL */
    double *theta;           /* (n,K): C, b - y_mean, D */
    double *kk, *kk2, *kk3;  /* (K,K) */
    double *nk, *nk2;        /* (n,K) */
    double *nn[3];           /* (n,n), full R only */
    double *wide;            /* (lanes*T, K*K), diagonal R with missing values */
    double *side;            /* 4 max(n,d) */
    double *stable;          /* 8 d (d + inputs) */
} vdi__lds_stats;

VDI__FN vdi__lds_stats vdi__lds_stats_of(const vdi_lds *p, const vdi_lds_data *a) {
    vdi__lds_stats s = VDI__ZERO;
    const int64_t d = a->d;
    const int64_t n = a->n;
    const int64_t U = a->inputs;
    const int64_t K = d + 1 + U;
    const int64_t Kd = d + U;
    double *at = a->em;
    s.K = K;
    s.Kd = Kd;
    s.Sxx = at;
    at += K * K;
    s.kk = at;
    at += K * K;
    s.kk2 = at;
    at += K * K;
    s.kk3 = at;
    at += K * K;
    s.S00 = at;
    at += K * K;
    s.first = at;
    at += K * K;
    at += 2 * K * K;
    s.Syx = at;
    at += n * K;
    s.theta = at;
    at += n * K;
    s.nk = at;
    at += n * K;
    s.nk2 = at;
    at += n * K;
    s.Syy = at;
    at += p->desc.diagonal_r ? n : n * n;
    for (int i = 0; i < 3; i++) {
        s.nn[i] = at;
        at += p->desc.diagonal_r ? n : n * n;
    }
    s.S11 = at;
    at += 4 * d * (d + U);
    s.S10 = at;
    at += 4 * d * (d + U);
    s.side = at;
    at += 4 * VDI__MAX(n, d);
    s.stable = at;
    at += 8 * d * (d + U);
    if (p->desc.diagonal_r && a->missing) {
        s.Sxx_channel = at;
        s.wide = at + n * K * K;
    }
    return s;
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

VDI__FN void vdi__lds_stats_dynamics(const vdi_lds_data *a, vdi__lds_stats *s) {
    const int64_t d = a->d;
    const int64_t dd = d * d;
    const int64_t U = a->inputs;
    const int64_t T = a->T;
    const int64_t Kd = s->Kd;
    double *sum = s->kk, *pair = s->kk2;
    memset(s->S11, 0, (size_t)dd * sizeof(double));
    memset(s->S10, 0, (size_t)(d * Kd) * sizeof(double));
    memset(s->S00, 0, (size_t)(Kd * Kd) * sizeof(double));
    memset(s->first, 0, (size_t)dd * sizeof(double));
    s->steps = s->trials = 0;
    for (int64_t g = 0; g < a->lanes; g++) {
        int64_t length = a->lane_lengths[g];
        const double *S = a->S + g * T * dd, *O = a->O + g * (T - 1) * dd;
        double w = a->lane_weight[g];
        if (length == 0) continue;
        s->trials += w;
        s->steps += w * (double)(length - 1);
        vdi_axpby(VDI_F64, (size_t)dd, w, S, 1, s->first);
        if (length == 1) continue;
        vdi_sum_rows(VDI_F64, (size_t)(length - 1), (size_t)dd, S, (size_t)dd, false, sum);
        vdi_sum_rows(VDI_F64, (size_t)(length - 1), (size_t)dd, O, (size_t)dd, false, pair);
        for (int64_t i = 0; i < d; i++) {
            for (int64_t j = 0; j < d; j++) {
                int64_t at = i * d + j;
                s->S00[i * Kd + j] += w * sum[at];
                s->S11[at] += w * (sum[at] - S[at] + S[(length - 1) * dd + at]);
                s->S10[i * Kd + j] += w * pair[at];
            }
        }
    }
    for (int64_t i = 0; i < a->trials; i++) {
        const double *z = vdi__lds_slot(a, a->m, i), *u = a->u + i * T * U;
        int64_t steps = a->lengths[i] - 1;
        vdi__add_products(d, d, steps, z + d, d, z + d, d, s->S11, d);
        vdi__add_products(d, d, steps, z + d, d, z, d, s->S10, Kd);
        vdi__add_products(d, d, steps, z, d, z, d, s->S00, Kd);
        vdi__add_products(d, U, steps, z + d, d, u + U, U, s->S10 + d, Kd);
        vdi__add_products(d, U, steps, z, d, u + U, U, s->S00 + d, Kd);
        vdi__add_products(U, U, steps, u + U, U, u + U, U, s->S00 + d * Kd + d, Kd);
    }
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = d; j < Kd; j++)
            s->S00[j * Kd + i] = s->S00[i * Kd + j];
    }
}

/* xx (K,K) += the second moment of x = (z, 1, u) where z has mean m, and covariance S counted
 * `weight` times (S may be NULL) */
VDI__FN void vdi__lds_add_moment(const vdi_lds_data *a, const double *m, const double *u,
                                 const double *S, double weight, double *xx) {
    const int64_t d = a->d, U = a->inputs, K = d + 1 + U;
    for (int64_t i = 0; i < K; i++) {
        double x = i < d ? m[i] : i == d ? 1 : u[i - d - 1];
        for (int64_t j = 0; j < d; j++)
            xx[i * K + j] += x * m[j] + (S && i < d ? weight * S[i * d + j] : 0);
        xx[i * K + d] += x;
        for (int64_t j = 0; j < U; j++)
            xx[i * K + d + 1 + j] += x * u[j];
    }
}

/* Nothing missing: one Sxx for all channels. */
VDI__FN void vdi__lds_stats_complete(const vdi_lds_data *a, vdi__lds_stats *s) {
    const int64_t d = a->d;
    const int64_t dd = d * d;
    const int64_t n = a->n;
    const int64_t U = a->inputs;
    const int64_t T = a->T;
    const int64_t K = s->K;
    for (int64_t g = 0; g < a->lanes; g++) {
        vdi_sum_rows(VDI_F64, (size_t)a->lane_lengths[g], (size_t)dd, a->S + g * T * dd, (size_t)dd,
                     false, s->kk);
        for (int64_t i = 0; i < dd; i++)
            s->Sxx[i / d * K + i % d] += a->lane_weight[g] * s->kk[i];
    }
    for (int64_t i = 0; i < a->trials; i++) {
        const double *z = vdi__lds_slot(a, a->m, i), *u = a->u + i * T * U, *y = a->y + i * T * n;
        int64_t rows = a->lengths[i];
        double *sum = s->side; /* (d), (n) or (inputs): K + n fit in turn */
        vdi__add_products(d, d, rows, z, d, z, d, s->Sxx, K);
        vdi__add_products(d, U, rows, z, d, u, U, s->Sxx + d + 1, K);
        vdi__add_products(U, U, rows, u, U, u, U, s->Sxx + (d + 1) * K + d + 1, K);
        vdi__add_products(n, d, rows, y, n, z, d, s->Syx, K);
        vdi__add_products(n, U, rows, y, n, u, U, s->Syx + d + 1, K);
        vdi_sum_rows(VDI_F64, (size_t)rows, (size_t)d, z, (size_t)d, false, sum);
        for (int64_t j = 0; j < d; j++)
            s->Sxx[j * K + d] += sum[j];
        for (int64_t t = 0; t < rows; t++) {
            for (int64_t j = 0; j < U; j++)
                s->Sxx[d * K + d + 1 + j] += u[t * U + j];
        }
        vdi_sum_rows(VDI_F64, (size_t)rows, (size_t)n, y, (size_t)n, false, sum);
        for (int64_t j = 0; j < n; j++)
            s->Syx[j * K + d] += sum[j];
        s->Sxx[d * K + d] += (double)rows;
    }
    for (int64_t i = 0; i < K; i++) {
        for (int64_t j = 0; j < i; j++)
            s->Sxx[i * K + j] = s->Sxx[j * K + i];
    }
}

/* Diagonal R: a channel sees only its own observed bins, so each has its own Sxx, all by one
 * product with the mask. */
VDI__FN void vdi__lds_stats_masked(const vdi_lds_data *a, vdi__lds_stats *s) {
    const int64_t d = a->d;
    const int64_t dd = d * d;
    const int64_t n = a->n;
    const int64_t U = a->inputs;
    const int64_t T = a->T;
    const int64_t K = s->K;
    const int64_t KK = K * K;
    memset(s->wide, 0, (size_t)(a->lanes * T * KK) * sizeof(double));
    for (int64_t i = 0; i < a->trials; i++) {
        const double *z = vdi__lds_slot(a, a->m, i), *y = a->y + i * T * n, *u = a->u + i * T * U;
        for (int64_t t = 0; t < a->lengths[i]; t++) {
            int64_t bin = a->lane_of[i] * T + t;
            vdi__lds_add_moment(a, z + t * d, u + t * U, a->S + bin * dd, 1, s->wide + bin * KK);
        }
        vdi__add_products(n, d, a->lengths[i], y, n, z, d, s->Syx, K);
        vdi__add_products(n, U, a->lengths[i], y, n, u, U, s->Syx + d + 1, K);
        vdi_sum_rows(VDI_F64, (size_t)a->lengths[i], (size_t)n, y, (size_t)n, false, s->side);
        for (int64_t j = 0; j < n; j++)
            s->Syx[j * K + d] += s->side[j];
    }
    vdi_gemm(VDI_F64, VDI_GEMM_TA, (size_t)n, (size_t)KK, (size_t)(a->lanes * T), a->mask,
             (size_t)n, s->wide, (size_t)KK, s->Sxx_channel, (size_t)KK);
}

/* Full R with missing values: for a bin with observed o and missing m,
 *     E[y_m | z, y_o] = theta_m x + G (y_o - theta_o x),  G = R_mo R_oo^{-1},  Var = R_mm - G R_om,
 * so with Phi = theta_m - G theta_o every statistic is a product of sums over the bins of one
 * pattern. */
typedef struct vdi__lds_pattern {
    int64_t *seen, *lost; /* channels of o and m */
    int64_t o, m;         /* how many */
    double *XX, *Yx, *Yy; /* (K,K), (o,K), (o,o): sums over its bins; Yy only where m > 0 */
    double *G, *Phi;      /* (m,o), (m,K) */
} vdi__lds_pattern;

/* The sums over the bins first..last-1 of a->bins. */
VDI__FN void vdi__lds_pattern_sums(vdi_lds_data *a, const vdi__lds_pattern *w, int64_t K,
                                   int64_t first, int64_t last) {
    const int64_t n = a->n;
    const int64_t d = a->d;
    const int64_t U = a->inputs;
    const int64_t T = a->T;
    const int64_t o = w->o;
    double *Y = a->chunk;
    double *X = a->chunk + VDI__LDS_CHUNK * n;
    memset(w->XX, 0, (size_t)(K * K) * sizeof(double));
    memset(w->Yx, 0, (size_t)(o * K) * sizeof(double));
    memset(w->Yy, 0, (size_t)(o * o) * sizeof(double));
    for (int64_t at = first; at < last; at += VDI__LDS_CHUNK) {
        int64_t rows = VDI__MIN(last - at, VDI__LDS_CHUNK);
        for (int64_t r = 0; r < rows; r++) {
            int64_t slot = a->bins[at + r] / T;
            int64_t t = a->bins[at + r] % T;
            int64_t trial = a->trial_at[slot];
            const double *z = a->m + (slot * T + t) * d;
            const double *y = a->y + (trial * T + t) * n;
            const double *u = a->u + (trial * T + t) * U;
            vdi__lds_add_moment(a, z, u, a->S + (slot % a->lanes * T + t) * d * d, 1, w->XX);
            for (int64_t i = 0; i < o; i++)
                Y[r * o + i] = y[w->seen[i]];
            memcpy(X + r * K, z, (size_t)d * sizeof(double));
            X[r * K + d] = 1;
            if (U > 0) memcpy(X + r * K + d + 1, u, (size_t)U * sizeof(double));
        }
        vdi__add_products(o, K, rows, Y, o, X, K, w->Yx, K);
        if (w->m > 0) vdi__add_products(o, o, rows, Y, o, Y, o, w->Yy, o);
    }
}

/* G = R_mo R_oo^{-1}, by the factor of R_oo that is in a->pattern_r, and Phi. */
VDI__FN void vdi__lds_pattern_regression(const vdi_lds *p, const vdi_lds_data *a,
                                         const vdi__lds_stats *s, const vdi__lds_pattern *w) {
    const int64_t n = a->n;
    const int64_t K = s->K;
    const int64_t o = w->o;
    const int64_t m = w->m;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < o; j++)
            w->G[i * o + j] = p->R[w->lost[i] * n + w->seen[j]];
    }
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, (size_t)o, (size_t)m, a->pattern_r,
             (size_t)o, w->G, (size_t)o);
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT, (size_t)o, (size_t)m, a->pattern_r, (size_t)o, w->G,
             (size_t)o);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t k = 0; k < K; k++) {
            double x = s->theta[w->lost[i] * K + k];
            for (int64_t j = 0; j < o; j++)
                x -= w->G[i * o + j] * s->theta[w->seen[j] * K + k];
            w->Phi[i * K + k] = x;
        }
    }
}

/* Row i of the missing channels, of `count` bins:
 *     Syx_m += Phi XX + G Yx,  Syy_mo += Phi Yx' + G Yy,
 *     Syy_mm += (Phi XX + G Yx) Phi' + (Phi Yx' + G Yy) G' + Var */
VDI__FN void vdi__lds_pattern_add(const vdi_lds *p, int64_t n, vdi__lds_stats *s,
                                  const vdi__lds_pattern *w, double count, int64_t i) {
    const int64_t K = s->K;
    const int64_t o = w->o;
    const int64_t lost = w->lost[i];
    const double *G = w->G + i * o;
    const double *Phi = w->Phi + i * K;
    double *row = s->kk2;     /* (K) */
    double *cross = s->nn[2]; /* (o) */
    for (int64_t k = 0; k < K; k++) {
        double x = 0;
        for (int64_t l = 0; l < K; l++)
            x += Phi[l] * w->XX[l * K + k];
        for (int64_t j = 0; j < o; j++)
            x += G[j] * w->Yx[j * K + k];
        row[k] = x;
        s->Syx[lost * K + k] += x;
    }
    for (int64_t j = 0; j < o; j++) {
        double x = 0;
        for (int64_t k = 0; k < K; k++)
            x += Phi[k] * w->Yx[j * K + k];
        for (int64_t k = 0; k < o; k++)
            x += G[k] * w->Yy[k * o + j];
        cross[j] = x;
        s->Syy[lost * n + w->seen[j]] += x;
        s->Syy[w->seen[j] * n + lost] += x;
    }
    for (int64_t j = 0; j < w->m; j++) {
        double x = count * p->R[lost * n + w->lost[j]];
        for (int64_t k = 0; k < K; k++)
            x += row[k] * w->Phi[j * K + k];
        for (int64_t k = 0; k < o; k++)
            x += cross[k] * w->G[j * o + k] - count * G[k] * p->R[w->seen[k] * n + w->lost[j]];
        s->Syy[lost * n + w->lost[j]] += x;
    }
}

VDI__FN vdi_status vdi__lds_stats_patterns(const vdi_lds *p, vdi_lds_data *a, vdi__lds_stats *s,
                                           vdi_error *err) {
    const int64_t n = a->n;
    const int64_t K = s->K;
    vdi__lds_pattern w = VDI__ZERO;
    w.seen = (int64_t *)(void *)(a->pattern_r + 2 * n * n);
    w.lost = (int64_t *)(void *)s->side;
    w.XX = s->kk;
    w.Yx = s->nk;
    w.Yy = s->nn[0];
    w.G = s->nn[1];
    w.Phi = s->nk2;
    for (int64_t q = 0; q < a->patterns; q++) {
        const int64_t first = a->pattern_start[q], last = a->pattern_start[q + 1];
        vdi_status status = vdi__lds_pattern_factor(p, a, q, w.seen, &w.o, err);
        if (status < 0) return status;
        w.m = 0;
        for (int64_t j = 0; j < n; j++)
            if (!a->pattern_mask[q * n + j]) w.lost[w.m++] = j;
        vdi__lds_pattern_sums(a, &w, K, first, last);
        for (int64_t i = 0; i < K * K; i++)
            s->Sxx[i] += w.XX[i];
        for (int64_t i = 0; i < w.o * K; i++)
            s->Syx[w.seen[i / K] * K + i % K] += w.Yx[i];
        if (w.m == 0) continue;
        vdi__lds_pattern_regression(p, a, s, &w);
        for (int64_t i = 0; i < w.m; i++)
            vdi__lds_pattern_add(p, n, s, &w, (double)(last - first), i);
    }
    vdi__symmetrise(n, s->Syy);
    return VDI_OK;
}

/* theta (rows,K) = argmin: the free columns solve the normal equations, the frozen ones stay.
 * `free_column` (K). */
VDI__FN vdi_status vdi__lds_regress(int64_t rows, int64_t K, const double *Sxx, const double *Syx,
                                    const bool *free_column, double *theta, double *kk,
                                    double *work, const char *what, vdi_error *err) {
    int64_t f = 0;
    for (int64_t i = 0; i < K; i++)
        f += free_column[i];
    if (f == 0) return VDI_OK;
    for (int64_t i = 0, r = 0; i < K; i++) {
        if (!free_column[i]) continue;
        for (int64_t j = 0, c = 0; j < K; j++)
            if (free_column[j]) kk[r * f + c++] = Sxx[i * K + j];
        r++;
    }
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0, c = 0; i < K; i++) {
            if (!free_column[i]) continue;
            double x = Syx[r * K + i];
            for (int64_t j = 0; j < K; j++)
                if (!free_column[j]) x -= theta[r * K + j] * Sxx[j * K + i];
            work[r * f + c++] = x;
        }
    }
    vdi_error inner = VDI__ZERO;
    if (vdi_cholesky(VDI_F64, (size_t)f, kk, (size_t)f, &inner) < 0) {
        return vdi_error_set(
            err, VDI_ERR_DATA, "vdi_lds_em_step",
            "%s is not determined by the data (inputs that are collinear, or too few bins): %s",
            what, inner.message);
    }
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT | VDI_TRSM_TRANS, (size_t)f, (size_t)rows, kk, (size_t)f, work,
             (size_t)f);
    vdi_trsm(VDI_F64, VDI_TRSM_RIGHT, (size_t)f, (size_t)rows, kk, (size_t)f, work, (size_t)f);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0, c = 0; i < K; i++)
            if (free_column[i]) theta[r * K + i] = work[r * f + c++];
    }
    return VDI_OK;
}

/* V (n,n) = (Syy - theta Syx' - Syx theta' + theta Sxx theta') / count; `work` (n,K) */
VDI__FN void vdi__lds_residual_covariance(int64_t n, int64_t K, const double *Syy,
                                          const double *Syx, const double *Sxx, const double *theta,
                                          double count, double *work, double *V) {
    size_t N = (size_t)n, k = (size_t)K;
    /* work = Syx - theta Sxx: 0 in the free columns, so the last product corrects only for what is
     * frozen */
    vdi_gemm(VDI_F64, 0, N, k, k, theta, k, Sxx, k, work, k);
    for (int64_t i = 0; i < n * K; i++)
        work[i] = Syx[i] - work[i];
    vdi_gemm(VDI_F64, VDI_GEMM_TB, N, N, k, theta, k, Syx, k, V, N);
    vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, N, N, k, work, k, theta, k, V, N);
    for (int64_t i = 0; i < n * n; i++)
        V[i] = (Syy[i] - V[i]) / count;
    vdi__symmetrise(n, V);
}

/* The nearest matrix in likelihood with no eigenvalue below `floor`: eigenvalues are clipped.
 * `work` holds 3 n n, `w` n. */
VDI__FN vdi_status vdi__lds_clip(int64_t n, double *V, double floor_, double *work, double *w,
                                 vdi_error *err) {
    double *vectors = work, *scratch = work + n * n, *scaled = work + 2 * n * n;
    memcpy(work, V, (size_t)(n * n) * sizeof *work);
    for (int64_t i = 0; i < n; i++)
        work[i * n + i] -= floor_;
    if (vdi_cholesky(VDI_F64, (size_t)n, work, (size_t)n, NULL) == VDI_OK) return VDI_OK;
    vdi_status status = vdi_eigh(VDI_F64, (size_t)n, V, (size_t)n, w, vectors, scratch, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++)
            scaled[i * n + j] = vectors[i * n + j] * VDI__MAX(w[j], floor_);
    }
    vdi_gemm(VDI_F64, VDI_GEMM_TB, (size_t)n, (size_t)n, (size_t)n, scaled, (size_t)n, vectors,
             (size_t)n, V, (size_t)n);
    vdi__symmetrise(n, V);
    return VDI_OK;
}

VDI__FN double vdi__lds_r_floor(const vdi_lds *p, const vdi_lds_data *a) {
    return p->desc.r_floor > 0 ? p->desc.r_floor : 1e-6 * a->variance;
}

/* The spectral radius of A (d,d), as |A^m|^{1/m} for m = 2^40 by squaring. `work` holds 2 d d. */
VDI__FN double vdi__spectral_radius(int64_t d, const double *A, double *work) {
    double *x = work;
    double *y = work + d * d;
    double log_norm = 0;
    double share = 1;
    memcpy(x, A, (size_t)(d * d) * sizeof *x);
    for (int k = 0; k <= 40; k++, share *= 0.5) {
        double norm = 0;
        for (int64_t i = 0; i < d * d; i++)
            norm += x[i] * x[i];
        norm = sqrt(norm);
        if (!(norm > 0) || !(norm < HUGE_VAL)) return norm; /* 0: nilpotent */
        log_norm += share * log(norm);
        for (int64_t i = 0; i < d * d; i++)
            x[i] /= norm;
        vdi_gemm(VDI_F64, 0, (size_t)d, (size_t)d, (size_t)d, x, (size_t)d, x, (size_t)d, y,
                 (size_t)d);
        double *swap = x;
        x = y;
        y = swap;
    }
    return exp(log_norm);
}

VDI__FN double vdi__lds_theta_radius(int64_t d, int64_t Kd, const double *theta, double *work) {
    for (int64_t i = 0; i < d; i++)
        memcpy(work + i * d, theta + i * Kd, (size_t)d * sizeof *work);
    return vdi__spectral_radius(d, work, work + d * d);
}

/* theta (d,Kd) = (A,B), the free optimum, is moved until A's radius is at most `bound`. On the way
 * from the old parameters to it the likelihood rises at any Q, so the farthest stable point that
 * bisection finds never lowers it; the other candidate, A scaled down, is often better, and is
 * taken if its residuals are smaller in the measure |Q|. `old` (d,Kd), `work` holds 7 d Kd. */
VDI__FN void vdi__lds_stabilise(int64_t d, int64_t Kd, const vdi__lds_stats *s, const double *old,
                                double bound, bool q_free, double *theta, double *work) {
    const int64_t size = VDI__MAX(d * Kd, d * d);
    /* wide: 3 d d */
    double *best = work;
    double *trial = best + size;
    double *V = trial + size;
    double *scratch = V + size;
    double *wide = scratch + size;
    double radius = vdi__lds_theta_radius(d, Kd, theta, wide);
    if (radius <= bound) return;
    double low = 0, high = 1, logdet[2];
    bool stable = vdi__lds_theta_radius(d, Kd, old, wide) <= bound;
    for (int step = 0; stable && step < 30; step++) {
        double mid = 0.5 * (low + high);
        for (int64_t i = 0; i < d * Kd; i++)
            trial[i] = old[i] + mid * (theta[i] - old[i]);
        if (vdi__lds_theta_radius(d, Kd, trial, wide) <= bound)
            low = mid;
        else
            high = mid;
    }
    for (int64_t i = 0; i < d * Kd; i++) {
        best[i] = low > 0 ? old[i] + low * (theta[i] - old[i]) : old[i];
        trial[i] = i % Kd < d ? theta[i] * (bound * (1 - 1e-12) / radius) : theta[i];
    }
    for (int k = 0; k < 2; k++) {
        vdi__lds_residual_covariance(d, Kd, s->S11, s->S10, s->S00, k ? trial : best, s->steps,
                                     scratch, V);
        logdet[k] = vdi_cholesky(VDI_F64, (size_t)d, V, (size_t)d, NULL) < 0
                        ? HUGE_VAL
                        : vdi_cholesky_logdet(VDI_F64, (size_t)d, V, (size_t)d);
    }
    memcpy(theta, !stable || (q_free && logdet[1] < logdet[0]) ? trial : best,
           (size_t)(d * Kd) * sizeof *theta);
}

VDI__FN vdi_status vdi__lds_update_dynamics(const vdi_lds *p, vdi_lds *next, const vdi_lds_data *a,
                                            vdi__lds_stats *s, vdi_error *err) {
    const int64_t d = a->d, U = a->inputs, Kd = s->Kd;
    unsigned freeze = p->desc.freeze;
    vdi_status status = VDI_OK;
    if (s->steps > 0) {
        double *work = s->S10 + d * Kd, *theta = work + d * Kd;
        bool *free_column = (bool *)(void *)s->kk3;
        for (int64_t i = 0; i < d; i++) {
            memcpy(theta + i * Kd, p->A + i * d, (size_t)d * sizeof(double));
            if (U > 0) memcpy(theta + i * Kd + d, p->B + i * U, (size_t)U * sizeof(double));
        }
        for (int64_t i = 0; i < Kd; i++)
            free_column[i] = !(freeze & (i < d ? VDI_LDS_A : VDI_LDS_B));
        status = vdi__lds_regress(d, Kd, s->S00, s->S10, free_column, theta, s->kk, work,
                                  U > 0 ? "A, B" : "A", err);
        if (status < 0) return status;
        if (p->desc.max_radius > 0 && !(freeze & VDI_LDS_A)) {
            double *old = s->stable;
            for (int64_t i = 0; i < d; i++) {
                memcpy(old + i * Kd, p->A + i * d, (size_t)d * sizeof(double));
                if (U > 0) memcpy(old + i * Kd + d, p->B + i * U, (size_t)U * sizeof(double));
            }
            vdi__lds_stabilise(d, Kd, s, old, p->desc.max_radius, !(freeze & VDI_LDS_Q), theta,
                               old + d * Kd);
        }
        for (int64_t i = 0; i < d; i++) {
            memcpy(next->A + i * d, theta + i * Kd, (size_t)d * sizeof(double));
            if (U > 0) memcpy(next->B + i * U, theta + i * Kd + d, (size_t)U * sizeof(double));
        }
        if (!(freeze & VDI_LDS_Q)) {
            vdi__lds_residual_covariance(d, Kd, s->S11, s->S10, s->S00, theta, s->steps, work,
                                         next->Q);
            status = vdi__lds_clip(d, next->Q, p->desc.q_floor, a->small, s->side, err);
        }
    }
    double *x0 = next->x0;
    if (!(freeze & VDI_LDS_X0)) {
        memset(x0, 0, (size_t)d * sizeof(double));
        for (int64_t i = 0; i < a->trials; i++) {
            if (a->lengths[i] > 0)
                vdi_axpby(VDI_F64, (size_t)d, 1 / s->trials, vdi__lds_slot(a, a->m, i), 1, x0);
        }
    }
    if (status == VDI_OK && !(freeze & VDI_LDS_Q0)) {
        for (int64_t i = 0; i < d * d; i++)
            next->Q0[i] = s->first[i];
        for (int64_t i = 0; i < a->trials; i++) {
            double *e = s->side;
            if (a->lengths[i] == 0) continue;
            vdi_binary(VDI_F64, VDI_SUB, (size_t)d, vdi__lds_slot(a, a->m, i), 1, x0, 1, e);
            vdi_ger(VDI_F64, (size_t)d, (size_t)d, e, e, next->Q0, (size_t)d);
        }
        for (int64_t i = 0; i < d * d; i++)
            next->Q0[i] /= s->trials;
        vdi__symmetrise(d, next->Q0);
        status = vdi__lds_clip(d, next->Q0, p->desc.q_floor, a->small, s->side, err);
    }
    return status;
}

VDI__FN vdi_status vdi__lds_update_readout(const vdi_lds *p, vdi_lds *next, const vdi_lds_data *a,
                                           vdi__lds_stats *s, vdi_error *err) {
    const int64_t d = a->d;
    const int64_t n = a->n;
    const int64_t U = a->inputs;
    const int64_t K = s->K;
    unsigned freeze = p->desc.freeze;
    double *theta = s->theta, floor_r = vdi__lds_r_floor(p, a);
    bool *free_column = (bool *)(void *)s->kk3;
    vdi_status status = VDI_OK;
    for (int64_t i = 0; i < K; i++)
        free_column[i] = !(freeze & (i < d ? VDI_LDS_C : i == d ? VDI_LDS_BIAS : VDI_LDS_D));
    const char *what = U > 0 ? "C, D, b" : "C, b";
    if (!s->Sxx_channel) {
        status =
            vdi__lds_regress(n, K, s->Sxx, s->Syx, free_column, theta, s->kk, s->nk, what, err);
    }
    for (int64_t j = 0; status == VDI_OK && s->Sxx_channel && j < n; j++) {
        if (s->Sxx_channel[j * K * K + d * K + d] > 0) {
            /* a channel that is never seen keeps its row */
            status = vdi__lds_regress(1, K, s->Sxx_channel + j * K * K, s->Syx + j * K, free_column,
                                      theta + j * K, s->kk, s->nk, what, err);
        }
    }
    if (status < 0) return status;
    for (int64_t j = 0; j < n; j++) {
        memcpy(next->C + j * d, theta + j * K, (size_t)d * sizeof(double));
        next->b[j] = theta[j * K + d] + a->y_mean[j];
        if (U > 0) memcpy(next->D + j * U, theta + j * K + d + 1, (size_t)U * sizeof(double));
        if (freeze & VDI_LDS_BIAS) next->b[j] = p->b[j]; /* the same bits, not the same sum */
    }
    if (freeze & VDI_LDS_R) return VDI_OK;
    if (!p->desc.diagonal_r) {
        vdi__lds_residual_covariance(n, K, s->Syy, s->Syx, s->Sxx, theta, s->Sxx[d * K + d], s->nk,
                                     next->R);
        return vdi__lds_clip(n, next->R, floor_r, s->nn[0], s->side, err);
    }
    for (int64_t j = 0; j < n; j++) {
        const double *xx = s->Sxx_channel ? s->Sxx_channel + j * K * K : s->Sxx;
        const double *yx = s->Syx + j * K;
        const double *th = theta + j * K;
        double r = s->Syy[j];
        for (int64_t i = 0; i < K; i++) {
            double x = 0;
            for (int64_t k = 0; k < K; k++)
                x += xx[i * K + k] * th[k];
            r += th[i] * (x - 2 * yx[i]);
        }
        if (xx[d * K + d] > 0) next->R[j * n + j] = VDI__MAX(r / xx[d * K + d], floor_r);
    }
    return VDI_OK;
}

/* `next`: a second model over the update block, holding a copy of the parameters */
VDI__FN vdi_lds vdi__lds_next(vdi_lds *p) {
    vdi_lds next = *p;
    memcpy(p->update, p->A, p->param_count * sizeof(double));
    (void)vdi__lds_layout(&next, p->update);
    return next;
}

VDI__DEF vdi_status vdi_lds_em_step(vdi_lds *lds, vdi_lds_data *data, double *log_likelihood,
                                    vdi_error *err) {
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_em_step", err);
    if (status == VDI_OK) status = vdi__lds_posterior(lds, data, true, err);
    if (status < 0) return status;
    const int64_t d = data->d, n = data->n, U = data->inputs;
    vdi__lds_stats s = vdi__lds_stats_of(lds, data);
    vdi_lds next = vdi__lds_next(lds);
    for (int64_t j = 0; j < n; j++) {
        memcpy(s.theta + j * s.K, lds->C + j * d, (size_t)d * sizeof(double));
        s.theta[j * s.K + d] = lds->b[j] - data->y_mean[j];
        if (U > 0) memcpy(s.theta + j * s.K + d + 1, lds->D + j * U, (size_t)U * sizeof(double));
    }
    vdi__lds_stats_dynamics(data, &s);
    memset(s.Sxx, 0, (size_t)(s.K * s.K) * sizeof(double));
    memset(s.Syx, 0, (size_t)(n * s.K) * sizeof(double));
    memcpy(s.Syy, data->syy, (size_t)(lds->desc.diagonal_r ? n : n * n) * sizeof(double));
    if (!data->missing)
        vdi__lds_stats_complete(data, &s);
    else if (lds->desc.diagonal_r)
        vdi__lds_stats_masked(data, &s);
    else
        status = vdi__lds_stats_patterns(lds, data, &s, err);
    if (status == VDI_OK) status = vdi__lds_update_readout(lds, &next, data, &s, err);
    if (status == VDI_OK) status = vdi__lds_update_dynamics(lds, &next, data, &s, err);
    if (status == VDI_OK)
        status = vdi__block_commit(lds->param_count, lds->update, lds->A, "vdi_lds_em_step", err);
    if (status == VDI_OK && log_likelihood)
        *log_likelihood = vdi_sum(VDI_F64, (size_t)data->trials, data->ll);
    return status;
}

/* ---- the start ------------------------------------------------------------------------------- */

/* Columns of V (n,d) orthonormal, by Gram-Schmidt done twice; a column that vanishes becomes a unit
 * vector. */
VDI__FN void vdi__orthonormalise(int64_t n, int64_t d, double *V) {
    for (int64_t j = 0; j < d; j++) {
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t k = 0; k < j; k++) {
                double s = 0;
                for (int64_t i = 0; i < n; i++)
                    s += V[i * d + j] * V[i * d + k];
                for (int64_t i = 0; i < n; i++)
                    V[i * d + j] -= s * V[i * d + k];
            }
        }
        double norm = 0;
        for (int64_t i = 0; i < n; i++)
            norm += V[i * d + j] * V[i * d + j];
        norm = sqrt(norm);
        for (int64_t i = 0; i < n; i++)
            V[i * d + j] = norm > 1e-150 ? V[i * d + j] / norm : (double)(i == j % n);
    }
}

/* The first d principal axes V (n,d) of y (rows,n), orthonormal, and the scores y V (rows,d), by
 * subspace iteration. */
VDI__FN void vdi__principal(int64_t rows, int64_t n, int64_t d, const double *y, uint64_t seed,
                            double *V, double *score) {
    const size_t r = (size_t)rows, N = (size_t)n, k = (size_t)d;
    vdi_rng rng = vdi_rng_make(seed, 0);
    vdi_rng_fill_normal(&rng, VDI_F64, n * d, V);
    vdi__orthonormalise(n, d, V);
    for (int pass = 0; pass < 30; pass++) { /* V <- orth(Y'Y V) */
        vdi_gemm(VDI_F64, 0, r, k, N, y, N, V, k, score, k);
        vdi_gemm(VDI_F64, VDI_GEMM_TA, N, k, r, y, N, score, k, V, k);
        vdi__orthonormalise(n, d, V);
    }
    vdi_gemm(VDI_F64, 0, r, k, N, y, N, V, k, score, k);
}

VDI__DEF vdi_status vdi_lds_init(vdi_lds *lds, vdi_lds_data *data, uint64_t seed, vdi_error *err) {
    vdi_status status = vdi__lds_fits(lds, data, "vdi_lds_init", err);
    if (status < 0) return status;
    const int64_t d = data->d;
    const int64_t n = data->n;
    const int64_t T = data->T;
    const int64_t rows = data->trials * T;
    const int64_t U = data->inputs;
    unsigned freeze = lds->desc.freeze;
    vdi__lds_stats s = vdi__lds_stats_of(lds, data);
    vdi_lds next = vdi__lds_next(lds);
    double *V = s.nk, *score = data->yd, count = 0;
    vdi__principal(rows, n, d, data->y, seed, V, score);
    for (int64_t i = 0; i < data->trials; i++)
        count += (double)data->lengths[i];
    /* latents of unit variance: z = score / scale, C = V scale */
    double *scale = s.side;
    for (int64_t k = 0; k < d; k++) {
        double q = 0;
        for (int64_t r = 0; r < rows; r++)
            q += score[r * d + k] * score[r * d + k];
        scale[k] = sqrt(VDI__MAX(q / count, 1e-12 * data->variance));
        for (int64_t r = 0; r < rows; r++)
            score[r * d + k] /= scale[k];
    }
    for (int64_t j = 0; j < n; j++) {
        double seen = 0, square = lds->desc.diagonal_r ? data->syy[j] : data->syy[j * n + j];
        for (int64_t i = 0; i < data->trials; i++)
            seen += data->channel_count[i * n + j];
        double variance = seen > 0 ? square / seen : data->variance, share = 0;
        for (int64_t k = 0; k < d; k++)
            share += V[j * d + k] * V[j * d + k] * scale[k] * scale[k];
        if (!(freeze & VDI_LDS_C)) {
            for (int64_t k = 0; k < d; k++)
                next.C[j * d + k] = V[j * d + k] * scale[k];
        }
        if (!(freeze & VDI_LDS_BIAS)) next.b[j] = data->y_mean[j];
        if (!(freeze & VDI_LDS_R)) {
            for (int64_t i = 0; i < n; i++)
                next.R[j * n + i] = 0;
            next.R[j * n + j] =
                VDI__MAX(variance - share, VDI__MAX(0.05 * variance, vdi__lds_r_floor(lds, data)));
        }
        if (!(freeze & VDI_LDS_D)) memset(next.D + j * U, 0, (size_t)U * sizeof(double));
    }
    /* z_t on z_{t-1}, shrunk a little, since the scores carry observation noise */
    memset(s.S10, 0, (size_t)(d * s.Kd) * sizeof(double));
    memset(s.S00, 0, (size_t)(d * d) * sizeof(double));
    for (int64_t i = 0; i < data->trials; i++) {
        const double *z = score + i * T * d;
        vdi__add_products(d, d, data->lengths[i] - 1, z + d, d, z, d, s.S10, d);
        vdi__add_products(d, d, data->lengths[i] - 1, z, d, z, d, s.S00, d);
    }
    bool *free_column = (bool *)(void *)s.kk2;
    for (int64_t i = 0; i < d; i++)
        free_column[i] = true;
    for (int64_t i = 0; i < d; i++)
        s.S00[i * d + i] += 1e-3 * count + 1;
    double *A = s.S10 + d * d;
    status =
        vdi__lds_regress(d, d, s.S00, s.S10, free_column, A, s.kk, s.S10 + 2 * d * d, "A", err);
    if (status < 0) return status;
    if (!(freeze & VDI_LDS_A)) memcpy(next.A, A, (size_t)(d * d) * sizeof(double));
    for (int64_t i = 0; i < d * d; i++) {
        bool diagonal = i / d == i % d;
        if (!(freeze & VDI_LDS_Q)) next.Q[i] = diagonal ? 0.1 : 0;
        if (!(freeze & VDI_LDS_Q0)) next.Q0[i] = diagonal ? 1 : 0;
    }
    for (int64_t i = 0; i < d; i++) {
        if (!(freeze & VDI_LDS_X0)) next.x0[i] = 0;
        if (!(freeze & VDI_LDS_B) && U > 0) memset(next.B + i * U, 0, (size_t)U * sizeof(double));
        double r = 1;
        for (int64_t k = 0; k < d; k++)
            r -= A[i * d + k] * s.S10[i * d + k] / count;
        if (!(freeze & VDI_LDS_Q)) next.Q[i * d + i] = VDI__MAX(r, 0.02);
    }
    return vdi__block_commit(lds->param_count, lds->update, lds->A, "vdi_lds_init", err);
}
#endif
