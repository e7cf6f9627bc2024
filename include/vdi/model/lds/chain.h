/* model/lds/chain.h - the Gauss-Markov chain of the latents of lds and plds: the prior, and its
 * M-step
 *
 *     z_1 ~ N(x0, Q0),   z_t = A z_{t-1} + B u_t + N(0,Q)
 *
 * Only the names of the parameters are public. Both models pass posterior moments of z
 * (vdi__chain_moments) and obtain A, B, Q, x0, Q0 in closed form. With x_t = (z_{t-1}, u_t), sums
 * over t > 1, means over trials:
 *
 *     (A, B) = S_zx S_xx^{-1},   Q = (S_zz - (A,B) S_zx' - S_zx (A,B)' + (A,B) S_xx (A,B)') / steps
 *     x0 = mean of E z_1,        Q0 = mean of E (z_1 - x0)(z_1 - x0)'
 */
#ifndef VDI_MODEL_LDS_CHAIN_H
#define VDI_MODEL_LDS_CHAIN_H
#include "../../core/ranks.h"
#include "parameters.h"
#include "regression.h"
#include "ties.h"

/** Parameters, as bits of vdi_lds_desc.freeze and vdi_plds_desc.freeze. */
enum {
    VDI_LDS_A = 1,
    VDI_LDS_B = 2,
    VDI_LDS_Q = 4,
    VDI_LDS_C = 8,
    VDI_LDS_D = 16,
    VDI_LDS_BIAS = 32,
    VDI_LDS_R = 64,
    VDI_LDS_X0 = 128,
    VDI_LDS_Q0 = 256
};
#endif /* VDI_MODEL_LDS_CHAIN_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_CHAIN_C)
#define VDI_MODEL_LDS_CHAIN_C

/* All the bits of `freeze`. */
#define VDI__LDS_FREEZE_ALL 511

/* The parameters of a chain, and what EM may do with them. */
typedef struct vdi__chain {
    int64_t d, inputs;
    unsigned freeze;
    double q_floor, max_radius;  /* q_floor 0: relative to the latents' variances */
    double *A, *B, *Q, *x0, *Q0; /* (d,d), (d,inputs), (d,d), (d), (d,d) */
} vdi__chain;

/* Where a chain starts: A = 0.95 I, stationary with covariance I. What is in `keep` stays. */
VDI__FN void vdi__chain_start(const vdi__chain *p, unsigned keep) {
    const int64_t d = p->d;
    for (int64_t i = 0; i < d * d; i++) {
        const double one = i / d == i % d;
        if (!(keep & VDI_LDS_A)) p->A[i] = 0.95 * one;
        if (!(keep & VDI_LDS_Q)) p->Q[i] = (1 - 0.95 * 0.95) * one;
        if (!(keep & VDI_LDS_Q0)) p->Q0[i] = one;
    }
    if (!(keep & VDI_LDS_X0)) memset(p->x0, 0, (size_t)d * sizeof(double));
}

/* ---- as a prior ------------------------------------------------------------------------------ */

/* The prior of the latents as a precision: blocks Q0^{-1} or Q^{-1}, plus A'Q^{-1}A but for the
 * last bin, and -Q^{-1}A under the diagonal. */
typedef struct vdi__chain_prior {
    double *Q0i, *Qi, *AQA, *QA; /* (d,d): Q0^{-1}, Q^{-1}, A'Q^{-1}A, -Q^{-1}A */
    double *Lq, *L0;             /* (d,d): Cholesky factors of Q and Q0 */
    double *hx;                  /* (d): Q0^{-1} x0 */
    double logdet_q, logdet_0;   /* log|Q|, log|Q0| */
    double *rest;                /* (d,d) of `work` that is free again */
} vdi__chain_prior;
#define VDI__CHAIN_PRIOR_WORK(d) (7 * (d) * (d) + (d))

/* Squares and products of L^{-1} and L^{-1}A, with Q = L L'. `work` holds VDI__CHAIN_PRIOR_WORK(d)
 * and carries the result. */
VDI__FN vdi_status vdi__chain_prior_of(const vdi__chain *p, double *work, vdi__chain_prior *out,
                                       vdi_error *err) {
    const int64_t dd = p->d * p->d;
    const size_t d = (size_t)p->d;
    double *Lq = work, *L0 = Lq + dd, *X = L0 + dd;
    out->Lq = Lq;
    out->L0 = L0;
    out->Qi = X + dd;
    out->Q0i = out->Qi + dd;
    out->QA = out->Q0i + dd;
    out->AQA = out->QA + dd;
    out->hx = out->AQA + dd;
    out->rest = X;
    vdi_status status = vdi__covariance_factor("Q", p->d, p->Q, Lq, err);
    if (status == VDI_OK) status = vdi__covariance_factor("Q0", p->d, p->Q0, L0, err);
    if (status < 0) return status;
    vdi_cholesky_inverse(VDI_F64, d, Lq, d, out->Qi, d);
    vdi_cholesky_inverse(VDI_F64, d, L0, d, out->Q0i, d);
    memcpy(X, p->A, (size_t)dd * sizeof(double));
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, d, d, Lq, d, X, d);
    vdi_gemm(VDI_F64, VDI_GEMM_TA, d, d, d, X, d, X, d, out->AQA, d);
    vdi_trsm(VDI_F64, VDI_TRSM_TRANS, d, d, Lq, d, X, d);
    for (int64_t i = 0; i < dd; i++)
        out->QA[i] = -X[i];
    vdi_gemv(VDI_F64, 0, d, d, out->Q0i, d, p->x0, out->hx);
    out->logdet_q = vdi_cholesky_logdet(VDI_F64, d, Lq, d);
    out->logdet_0 = vdi_cholesky_logdet(VDI_F64, d, L0, d);
    return VDI_OK;
}

/* One step of the prior: m = A m + B u, P = A P A' + Q; `work` holds d d + d. */
VDI__FN void vdi__chain_predict(const vdi__chain *p, const double *u, double *m, double *P,
                                double *work) {
    const size_t d = (size_t)p->d, U = (size_t)p->inputs;
    double *AP = work, *next = work + d * d;
    vdi_gemv(VDI_F64, 0, d, d, p->A, d, m, next);
    if (u && U) vdi_gemv(VDI_F64, VDI_GEMM_ACC, d, U, p->B, U, u, next);
    memcpy(m, next, d * sizeof *m);
    vdi_gemm(VDI_F64, 0, d, d, d, p->A, d, P, d, AP, d);
    memcpy(P, p->Q, d * d * sizeof *P);
    vdi_gemm(VDI_F64, VDI_GEMM_TB | VDI_GEMM_ACC, d, d, d, AP, d, p->A, d, P, d);
}

/* ---- drawing --------------------------------------------------------------------------------- */

/* A path under way: state (d) and the factors of the covariances. */
typedef struct vdi__chain_path {
    double *Lq, *L0, *state; /* (d,d), (d,d), (d) */
    double *noise, *next;    /* (d) scratch */
} vdi__chain_path;
#define VDI__CHAIN_PATH_WORK(d) (2 * (d) * (d) + 3 * (d) + VDI__ROOT_WORK(d))

VDI__FN vdi_status vdi__chain_path_of(const vdi__chain *p, double *work, vdi__chain_path *out,
                                      vdi_error *err) {
    const int64_t d = p->d;
    out->Lq = work;
    out->L0 = out->Lq + d * d;
    out->state = out->L0 + d * d;
    out->noise = out->state + d;
    out->next = out->noise + d;
    double *roots = out->next + d;
    const vdi_status status = vdi__semidefinite_root("Q", d, p->Q, out->Lq, roots, err);
    return status < 0 ? status : vdi__semidefinite_root("Q0", d, p->Q0, out->L0, roots, err);
}

/* x += L e for a lower triangle L */
VDI__FN void vdi__lower_multiply_add(int64_t n, const double *l, const double *e, double *x) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++)
            x[i] += l[i * n + j] * e[j];
    }
}

/* The state of bin t (u: its inputs, or NULL) from that of the bin before. */
VDI__FN void vdi__chain_draw(const vdi__chain *p, vdi__chain_path *path, int64_t t, const double *u,
                             vdi_rng *rng) {
    const size_t d = (size_t)p->d, U = (size_t)p->inputs;
    vdi_rng_fill_normal(rng, VDI_F64, p->d, path->noise);
    if (t == 0) {
        memcpy(path->next, p->x0, d * sizeof *path->next);
    } else {
        vdi_gemv(VDI_F64, 0, d, d, p->A, d, path->state, path->next);
        if (u && U) vdi_gemv(VDI_F64, VDI_GEMM_ACC, d, U, p->B, U, u, path->next);
    }
    vdi__lower_multiply_add(p->d, t == 0 ? path->L0 : path->Lq, path->noise, path->next);
    memcpy(path->state, path->next, d * sizeof *path->state);
}

/* ---- sums over a posterior ------------------------------------------------------------------- */

/* A posterior of the latents. Trials that share a covariance sequence share a lane; trial i has its
 * means in slot row_of[i] * lanes + lane_of[i]. Without lanes (NULL) each trial is one of its
 * own. */
typedef struct vdi__chain_moments {
    int64_t trials, T, lanes;
    const int64_t *lengths;          /* (trials) */
    const int64_t *lane_of, *row_of; /* (trials), or NULL */
    const int64_t *lane_lengths;     /* (lanes) */
    const double *lane_weight;       /* (lanes): trials in it; NULL: 1. Their covariances come by
                                        vdi__chain_add_covariances */
    const double *m;                 /* (slots,T,d) */
    const double *centre;            /* (d): m is about this; NULL: about 0 */
    const double *u;                 /* (trials,T,inputs) */
    vdi_ranks ranks;                 /* processes that have a share of the trials each */
} vdi__chain_moments;

VDI__FN const double *vdi__chain_mean(const vdi__chain_moments *q, int64_t d, int64_t trial) {
    const int64_t slot = q->lane_of ? q->row_of[trial] * q->lanes + q->lane_of[trial] : trial;
    return q->m + slot * q->T * d;
}

/* What the M-step of a chain needs: z_t regressed on (z_{t-1}, u_t), and the first bins. */
typedef struct vdi__chain_sums {
    vdi__regression g; /* over t > 1 */
    /* (d,d): sums over trials of the covariances of z_1, of those between, and of the last z; of
     * Cov(z_{t+1}, z_t); and, in trials of one bin, of the only z. They are apart since one may be
     * 1e16 times the others. */
    double *begin, *middle, *end, *lagged, *alone;
    double *first;       /* (d,d) sum over trials of Cov(z_1) */
    double trials;       /* with at least one bin */
    double *theta, *old; /* (d, d + inputs): A, B sought and as they were */
    double *S;           /* (d,d) scratch */
    double *eigen;       /* 3 d d + d */
    double *search;      /* see vdi__chain_stabilise */
    double *start, *e;   /* (d): mean of z_1 about the centre, a deviation from it */
    double *variance;    /* (d): of each latent over all bins */
    vdi__ties *ties;     /* of (A, B), or NULL */
} vdi__chain_sums;

VDI__FN void vdi__chain_sums_take(vdi__chain_sums *s, int64_t d, int64_t inputs, vdi_arena *arena,
                                  bool *ok) {
    const size_t n = (size_t)d, K = (size_t)(d + inputs);
    vdi__regression_take(&s->g, d, d + inputs, false, arena, ok);
    s->first = vdi__take_reals(arena, n * n, ok);
    s->theta = vdi__take_reals(arena, n * K, ok);
    s->old = vdi__take_reals(arena, n * K, ok);
    s->S = vdi__take_reals(arena, n * n, ok);
    s->begin = vdi__take_reals(arena, 5 * n * n, ok);
    s->middle = s->begin + n * n;
    s->end = s->middle + n * n;
    s->lagged = s->end + n * n;
    s->alone = s->lagged + n * n;
    s->eigen = vdi__take_reals(arena, 3 * n * n + n, ok);
    s->search = vdi__take_reals(arena, 2 * n * K + 4 * n * n, ok);
    s->start = vdi__take_reals(arena, n, ok);
    s->e = vdi__take_reals(arena, n, ok);
    s->variance = vdi__take_reals(arena, n, ok);
}

VDI__FN void vdi__chain_clear_covariances(vdi__chain_sums *s) {
    memset(s->begin, 0, (size_t)(5 * s->g.rows * s->g.rows) * sizeof(double));
}

/* sum (d,d) += w times the sum of `count` blocks. */
VDI__FN void vdi__chain_add_blocks(vdi__chain_sums *s, double w, int64_t count, const double *block,
                                   double *sum) {
    const size_t dd = (size_t)(s->g.rows * s->g.rows);
    if (count < 1) return;
    vdi_sum_rows(VDI_F64, (size_t)count, dd, block, dd, false, s->S);
    vdi_axpby(VDI_F64, dd, w, s->S, 1, sum);
}

/* Bins t .. t + bins - 1 of w trials of one length, that share the covariances S (bins,d,d) and
 * O (bins,d,d), O_t = Cov(z_{t+1}, z_t), which the last bin does not have. */
VDI__FN void vdi__chain_add_covariances(vdi__chain_sums *s, double w, int64_t length, int64_t t,
                                        int64_t bins, const double *S, const double *O) {
    const int64_t dd = s->g.rows * s->g.rows, last = t + bins == length, begins = t == 0;
    if (length == 1) {
        vdi__chain_add_blocks(s, w, bins, S, s->alone);
        return;
    }
    vdi__chain_add_blocks(s, w, begins, S, s->begin);
    vdi__chain_add_blocks(s, w, bins - begins - last, S + begins * dd, s->middle);
    vdi__chain_add_blocks(s, w, last, S + (bins - 1) * dd, s->end);
    vdi__chain_add_blocks(s, w, bins - last, O, s->lagged);
}

/* The covariances, and how many pairs of bins there are. */
VDI__FN void vdi__chain_sum_covariances(const vdi__chain_moments *q, vdi__chain_sums *s) {
    const int64_t d = s->g.rows, K = s->g.K;
    for (int64_t i = 0; i < q->lanes; i++) {
        const double w = q->lane_weight ? q->lane_weight[i] : 1;
        if (q->lane_lengths[i] == 0) continue;
        s->trials += w;
        s->g.count += w * (double)(q->lane_lengths[i] - 1);
    }
    for (int64_t i = 0; i < d * d; i++) {
        s->first[i] = s->begin[i] + s->alone[i];
        s->g.xx[i / d * K + i % d] += s->middle[i] + s->begin[i];
        s->g.yx[i / d * K + i % d] += s->lagged[i];
        s->g.yy[i] += s->middle[i] + s->end[i];
    }
}

/* The sums of a trial's rows, for the means of z_t and of (z_{t-1}, u_t). */
VDI__FN void vdi__chain_sum_means(const vdi__chain_moments *q, int64_t trial, vdi__chain_sums *s) {
    const int64_t d = s->g.rows, U = s->g.K - d, steps = q->lengths[trial] - 1;
    const double *z = vdi__chain_mean(q, d, trial);
    vdi__add_rows(steps, d, z + d, s->g.mean_y);
    vdi__add_rows(steps, d, z, s->g.mean_x);
    if (U > 0) vdi__add_rows(steps, U, q->u + (trial * q->T + 1) * U, s->g.mean_x + d);
}

/* The means and inputs of a trial. */
VDI__FN void vdi__chain_sum_trial(const vdi__chain_moments *q, int64_t trial, vdi__chain_sums *s) {
    const int64_t d = s->g.rows, K = s->g.K, U = K - d, steps = q->lengths[trial] - 1;
    const double *z = vdi__chain_mean(q, d, trial);
    if (steps < 1) return;
    if (q->centre) vdi__chain_sum_means(q, trial, s);
    vdi__add_products(d, d, steps, z + d, d, z + d, d, s->g.yy, d);
    vdi__add_products(d, d, steps, z + d, d, z, d, s->g.yx, K);
    vdi__add_products(d, d, steps, z, d, z, d, s->g.xx, K);
    if (U == 0) return;
    const double *u = q->u + (trial * q->T + 1) * U;
    vdi__add_products(d, U, steps, z + d, d, u, U, s->g.yx + d, K);
    vdi__add_products(d, U, steps, z, d, u, U, s->g.xx + d, K);
    vdi__add_products(U, U, steps, u, U, u, U, s->g.xx + d * K + d, K);
}

/* The variance of each latent over all bins: of its means about theirs, and of itself about
 * them. */
VDI__FN vdi_status vdi__chain_variances(const vdi__chain_moments *q, vdi__chain_sums *s,
                                        vdi_error *err) {
    const int64_t d = s->g.rows;
    double *mean = s->e, *square = s->variance, count = 0;
    memset(mean, 0, (size_t)d * sizeof *mean);
    memset(square, 0, (size_t)d * sizeof *square);
    for (int64_t i = 0; i < q->trials; i++) {
        vdi__add_rows(q->lengths[i], d, vdi__chain_mean(q, d, i), mean);
        count += (double)q->lengths[i];
    }
    vdi_status status = vdi_ranks_sum(&q->ranks, mean, d, err);
    if (status == VDI_OK) status = vdi_ranks_sum(&q->ranks, &count, 1, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < q->trials; i++) {
        const double *z = vdi__chain_mean(q, d, i);
        for (int64_t k = 0; k < d; k++) {
            const double centre = mean[k] / count;
            double sum = 0;
            for (int64_t at = k; at < q->lengths[i] * d; at += d)
                sum += (z[at] - centre) * (z[at] - centre);
            square[k] += sum;
        }
    }
    for (int64_t k = 0; k < d; k++) {
        const int64_t at = k * (d + 1);
        square[k] += s->middle[at] + s->begin[at] + s->end[at] + s->alone[at];
    }
    status = vdi_ranks_sum(&q->ranks, square, d, err);
    for (int64_t k = 0; k < d; k++)
        square[k] /= count;
    return status;
}

/* Sums about the centre become sums about the means. */
VDI__FN void vdi__chain_centre(const double *centre, vdi__chain_sums *s) {
    const int64_t d = s->g.rows, K = s->g.K;
    double *x = s->g.mean_x, *y = s->g.mean_y;
    for (int64_t i = 0; i < K; i++)
        x[i] /= s->g.count;
    for (int64_t i = 0; i < d; i++)
        y[i] /= s->g.count;
    for (int64_t i = 0; i < K * K; i++)
        s->g.xx[i] -= s->g.count * x[i / K] * x[i % K];
    for (int64_t i = 0; i < d * K; i++)
        s->g.yx[i] -= s->g.count * y[i / K] * x[i % K];
    for (int64_t i = 0; i < d * d; i++)
        s->g.yy[i] -= s->g.count * y[i / d] * y[i % d];
    for (int64_t i = 0; i < d; i++) {
        x[i] += centre[i];
        y[i] += centre[i];
    }
}

/* What the processes have summed over their trials becomes that of all. */
VDI__FN vdi_status vdi__chain_sum_ranks(const vdi_ranks *ranks, vdi__chain_sums *s,
                                        vdi_error *err) {
    const int64_t d = s->g.rows, K = s->g.K;
    double *sum[] = {s->g.yy,     s->g.yx,  s->g.xx,     s->g.mean_x,
                     s->g.mean_y, s->first, &s->g.count, &s->trials};
    const int64_t size[] = {d * d, d * K, K * K, K, d, d * d, 1, 1};
    vdi_status status = VDI_OK;
    for (size_t i = 0; status == VDI_OK && i < VDI__COUNT(sum); i++)
        status = vdi_ranks_sum(ranks, sum[i], size[i], err);
    return status;
}

VDI__FN vdi_status vdi__chain_sum(const vdi__chain_moments *q, vdi__chain_sums *s, vdi_error *err) {
    const int64_t d = s->g.rows, K = s->g.K;
    vdi_status status = vdi__chain_variances(q, s, err);
    if (status < 0) return status;
    memset(s->g.yy, 0, (size_t)(d * d) * sizeof(double));
    memset(s->g.yx, 0, (size_t)(d * K) * sizeof(double));
    memset(s->g.xx, 0, (size_t)(K * K) * sizeof(double));
    memset(s->g.mean_x, 0, (size_t)K * sizeof(double));
    memset(s->g.mean_y, 0, (size_t)d * sizeof(double));
    s->g.count = s->trials = 0;
    vdi__chain_sum_covariances(q, s);
    for (int64_t i = 0; i < q->trials; i++)
        vdi__chain_sum_trial(q, i, s);
    status = vdi__chain_sum_ranks(&q->ranks, s, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = d; j < K; j++)
            s->g.xx[j * K + i] = s->g.xx[i * K + j];
    }
    s->g.centred = q->centre != NULL;
    if (s->g.centred && s->g.count > 0) vdi__chain_centre(q->centre, s);
    return VDI_OK;
}

/* ---- stable dynamics ------------------------------------------------------------------------- */

/* The spectral radius of A (d,d), as |A^m|^{1/m} for m = 2^40 by squaring. `work` holds 2 d d. */
VDI__FN double vdi__spectral_radius(int64_t d, const double *A, double *work) {
    const size_t D = (size_t)d;
    double *x = work;
    double *y = work + d * d;
    double log_norm = 0;
    double share = 1;
    memcpy(x, A, D * D * sizeof *x);
    for (int k = 0; k <= 40; k++, share *= 0.5) {
        double norm = 0;
        for (int64_t i = 0; i < d * d; i++)
            norm += x[i] * x[i];
        norm = sqrt(norm);
        if (!(norm > 0) || !vdi__is_finite(norm)) return norm; /* 0: nilpotent */
        log_norm += share * log(norm);
        for (int64_t i = 0; i < d * d; i++)
            x[i] /= norm;
        vdi_gemm(VDI_F64, 0, D, D, D, x, D, x, D, y, D);
        double *swap = x;
        x = y;
        y = swap;
    }
    return exp(log_norm);
}

/* ... of the A in theta = (A, B); `work` holds 3 d d. */
VDI__FN double vdi__chain_radius(const vdi__chain_sums *s, const double *theta, double *work) {
    const int64_t d = s->g.rows;
    for (int64_t i = 0; i < d; i++)
        memcpy(work + i * d, theta + i * s->g.K, (size_t)d * sizeof *work);
    return vdi__spectral_radius(d, work, work + d * d);
}

/* log|Q| of what theta leaves; infinite if it leaves no covariance. V holds d d. */
VDI__FN double vdi__chain_residual_logdet(const vdi__chain_sums *s, const double *theta,
                                          double *V) {
    const size_t d = (size_t)s->g.rows;
    vdi__residual_covariance(&s->g, theta, V);
    if (vdi_cholesky(VDI_F64, d, V, d, NULL) < 0) return HUGE_VAL;
    return vdi_cholesky_logdet(VDI_F64, d, V, d);
}

/* theta, the free optimum, is moved until A's radius is at most `bound`. On the way from the old
 * parameters to it the likelihood rises at any Q, so the farthest stable point that bisection finds
 * never lowers it; the other candidate, A scaled down, is often better, and is taken if its
 * residuals are smaller in the measure |Q|. */
VDI__FN void vdi__chain_stabilise(const vdi__chain_sums *s, double bound, bool q_free) {
    const int64_t d = s->g.rows, K = s->g.K, size = d * K;
    double *theta = s->theta, *best = s->search, *scaled = best + size, *V = scaled + size;
    double *work = V + d * d, *trial = scaled;
    const double radius = vdi__chain_radius(s, theta, work);
    if (radius <= bound) return;
    const bool stable = vdi__chain_radius(s, s->old, work) <= bound;
    double low = 0, high = 1;
    for (int step = 0; stable && step < 30; step++) {
        const double mid = 0.5 * (low + high);
        for (int64_t i = 0; i < size; i++)
            trial[i] = s->old[i] + mid * (theta[i] - s->old[i]);
        if (vdi__chain_radius(s, trial, work) <= bound)
            low = mid;
        else
            high = mid;
    }
    for (int64_t i = 0; i < size; i++) {
        best[i] = low > 0 ? s->old[i] + low * (theta[i] - s->old[i]) : s->old[i];
        scaled[i] = i % K < d ? theta[i] * (bound * (1 - 1e-12) / radius) : theta[i];
    }
    const double on_the_way = vdi__chain_residual_logdet(s, best, V);
    const bool better = q_free && vdi__chain_residual_logdet(s, scaled, V) < on_the_way;
    memcpy(theta, !stable || better ? scaled : best, (size_t)size * sizeof *theta);
}

/* ---- the M-step ------------------------------------------------------------------------------ */

VDI__FN void vdi__chain_theta(const vdi__chain *p, double *theta) {
    const int64_t d = p->d, U = p->inputs, K = d + U;
    for (int64_t i = 0; i < d; i++) {
        memcpy(theta + i * K, p->A + i * d, (size_t)d * sizeof(double));
        if (U > 0) memcpy(theta + i * K + d, p->B + i * U, (size_t)U * sizeof(double));
    }
}

/* By default 1e-6 of the latents' variances, however large they are. */
VDI__FN vdi__floor vdi__chain_floor(const vdi__chain *p, const vdi__chain_sums *s,
                                    const double *now) {
    vdi__floor f = VDI__ZERO;
    f.least = p->q_floor;
    if (p->q_floor > 0) return f;
    f.least = 1e-6;
    f.scale = s->variance;
    f.now = now;
    return f;
}

/* theta = (A, B) under ties; what is frozen as a whole stays, as if it had no groups. */
VDI__FN vdi_status vdi__chain_update_tied(const vdi__chain *now, vdi__chain_sums *s,
                                          vdi_error *err) {
    const int64_t d = now->d, K = s->g.K;
    const vdi_status status = vdi__ties_weigh(s->ties, "Q", false, now->Q, err);
    if (status < 0) return status;
    vdi__ties_clear(s->ties);
    vdi__ties_add(s->ties, &s->g, 0, d, s->theta);
    vdi__ties_solve(s->ties, s->theta);
    for (int64_t i = 0; i < d * K; i++)
        if (now->freeze & (i % K < d ? VDI_LDS_A : VDI_LDS_B)) s->theta[i] = s->old[i];
    return VDI_OK;
}

/* A, B, Q of `next`. Trials of one bin say nothing of them. */
VDI__FN vdi_status vdi__chain_update_steps(const vdi__chain *now, const vdi__chain *next,
                                           vdi__chain_sums *s, vdi_error *err) {
    const int64_t d = now->d, U = now->inputs, K = d + U;
    const unsigned freeze = now->freeze;
    if (!(s->g.count > 0)) return VDI_OK;
    for (int64_t i = 0; i < K; i++)
        s->g.free_column[i] = !(freeze & (i < d ? VDI_LDS_A : VDI_LDS_B));
    vdi__chain_theta(now, s->old);
    vdi__chain_theta(now, s->theta);
    const vdi_status status = s->ties ? vdi__chain_update_tied(now, s, err)
                                      : vdi__regress(&s->g, U > 0 ? "A, B" : "A", s->theta, err);
    if (status < 0) return status;
    if (now->max_radius > 0 && !(freeze & VDI_LDS_A))
        vdi__chain_stabilise(s, now->max_radius, !s->ties && !(freeze & VDI_LDS_Q));
    for (int64_t i = 0; i < d; i++) {
        memcpy(next->A + i * d, s->theta + i * K, (size_t)d * sizeof(double));
        if (U > 0) memcpy(next->B + i * U, s->theta + i * K + d, (size_t)U * sizeof(double));
    }
    if (freeze & VDI_LDS_Q) return VDI_OK;
    vdi__residual_covariance(&s->g, s->theta, next->Q);
    const vdi__floor floor_q = vdi__chain_floor(now, s, now->Q);
    return vdi__apply_floor(d, &floor_q, next->Q, s->eigen, err);
}

/* x0 and Q0 of `next`. */
VDI__FN vdi_status vdi__chain_update_first(const vdi__chain *now, const vdi__chain *next,
                                           const vdi__chain_moments *q, vdi__chain_sums *s,
                                           vdi_error *err) {
    const int64_t d = now->d;
    const size_t D = (size_t)d;
    const bool free_x0 = !(now->freeze & VDI_LDS_X0);
    double *start = s->start;
    for (int64_t i = 0; i < d; i++)
        start[i] = free_x0 ? 0 : now->x0[i] - (q->centre ? q->centre[i] : 0);
    for (int64_t i = 0; free_x0 && i < q->trials; i++) {
        if (q->lengths[i] > 0)
            vdi_axpby(VDI_F64, D, 1 / s->trials, vdi__chain_mean(q, d, i), 1, start);
    }
    const vdi_status begun = free_x0 ? vdi_ranks_sum(&q->ranks, start, d, err) : VDI_OK;
    if (begun < 0) return begun;
    for (int64_t i = 0; free_x0 && i < d; i++)
        next->x0[i] = start[i] + (q->centre ? q->centre[i] : 0);
    if (now->freeze & VDI_LDS_Q0) return VDI_OK;
    if (q->ranks.rank == 0)
        memcpy(next->Q0, s->first, D * D * sizeof(double));
    else
        memset(next->Q0, 0, D * D * sizeof(double)); /* it is in the sum of the first */
    for (int64_t i = 0; i < q->trials; i++) {
        if (q->lengths[i] == 0) continue;
        vdi_binary(VDI_F64, VDI_SUB, D, vdi__chain_mean(q, d, i), 1, start, 1, s->e);
        vdi_ger(VDI_F64, D, D, s->e, s->e, next->Q0, D);
    }
    const vdi_status summed = vdi_ranks_sum(&q->ranks, next->Q0, d * d, err);
    if (summed < 0) return summed;
    for (int64_t i = 0; i < d * d; i++)
        next->Q0[i] /= s->trials;
    vdi__symmetrise(d, next->Q0);
    const vdi__floor floor_q0 = vdi__chain_floor(now, s, now->Q0);
    return vdi__apply_floor(d, &floor_q0, next->Q0, s->eigen, err);
}

/* The M-step: `next` holds a copy of the parameters and gets the new ones. */
VDI__FN vdi_status vdi__chain_update(const vdi__chain *now, const vdi__chain *next,
                                     const vdi__chain_moments *q, vdi__chain_sums *s,
                                     vdi_error *err) {
    vdi_status status = vdi__chain_sum(q, s, err);
    if (status == VDI_OK) status = vdi__chain_update_steps(now, next, s, err);
    return status < 0 ? status : vdi__chain_update_first(now, next, q, s, err);
}
#endif
