/* model/plds/fit.h - the best Gaussian over the latents of up to eight trials
 *
 * Nothing public. With rates r_tn = E exp(c_n'z_t + b_n) under q = N(m, J^{-1}), J = the prior's
 * precision and one block C' diag(r_t) C a bin (the "site" of the bin), the bound is
 *
 *     ELBO = sum y (C m + b) - r - log y!  - 1/2 E(z'Pz - 2 h'z + x0'Q0^{-1}x0)
 *            - 1/2 (log|Q0| + (T-1) log|Q| + log|J|) + T d / 2,        h = Q0^{-1} x0 in bin 1
 *
 * with P the prior's precision. It is climbed by natural-gradient steps (vdi__plds_ascend); the
 * mode, where a search begins and which is the Laplace method's own, by Newton's method
 * (vdi__plds_mode).
 */
#ifndef VDI_MODEL_PLDS_FIT_H
#define VDI_MODEL_PLDS_FIT_H
#include "data.h"
#endif /* VDI_MODEL_PLDS_FIT_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_FIT_C)
#define VDI_MODEL_PLDS_FIT_C

/* A group of at most eight trials of at most T bins, as the searches below see it. */
typedef struct vdi__plds_fit {
    const vdi__chain_prior *prior;
    const double *first, *first_h; /* precision (d,d) and precision times mean (d) of each trial's
                                      first block, or NULL: the prior's */
    vdi__plds_readout readout;
    int64_t d, n, K, T, count, left_out; /* left_out: a neuron whose counts are not read, or -1 */
    int64_t length[VDI__PLDS_GROUP];
    const double *y[VDI__PLDS_GROUP], *offset[VDI__PLDS_GROUP]; /* (length,n); offset may be NULL */
    double constant[VDI__PLDS_GROUP];                           /* of the bound: what no Gaussian
                                                                   changes */
    vdi__plds_q now, next;
    double *yC;             /* (count,T,d): C'y */
    double *feature, *rate; /* (T,K), (T,n): of one trial at a time */
    double *rows;           /* (T,n) */
    void *bt_mem;
    size_t bt_size;
    vdi_blocktri bt;
    bool converged;
} vdi__plds_fit;

/* The Gaussians of q from that of `trial` on, which has T bins. */
VDI__FN vdi__plds_q vdi__plds_from(vdi__plds_q q, int64_t trial, int64_t T, int64_t d) {
    const int64_t dd = d * d, K = d + d * (d + 1) / 2;
    q.D += trial * T * dd;
    q.S += trial * T * dd;
    q.E += trial * (T - 1) * dd;
    q.O += trial * (T - 1) * dd;
    q.k += trial * T * d;
    q.m += trial * T * d;
    q.site += trial * T * K;
    q.logdet += trial;
    q.elbo += trial;
    return q;
}

VDI__FN vdi__plds_q vdi__plds_now(const vdi__plds_fit *f, int64_t i) {
    return vdi__plds_from(f->now, i, f->T, f->d);
}
VDI__FN vdi__plds_q vdi__plds_next_of(const vdi__plds_fit *f, int64_t i) {
    return vdi__plds_from(f->next, i, f->T, f->d);
}

/* ---- what the counts say at a Gaussian ------------------------------------------------------- */

VDI__FN void vdi__plds_readout_set(const vdi_plds *p, double log_width, vdi__plds_readout *r) {
    const int64_t d = p->desc.d, n = p->desc.n, K = d + d * (d + 1) / 2;
    for (int64_t j = 0; j < n; j++) {
        const double *c = p->C + j * d;
        int64_t at = d;
        r->b[j] = p->b[j] + log_width;
        for (int64_t i = 0; i < d; i++)
            r->in[i * n + j] = r->out[j * K + i] = c[i];
        for (int64_t i = 0; i < d; i++) {
            for (int64_t k = 0; k <= i; k++, at++) {
                r->out[j * K + at] = c[i] * c[k];
                r->in[at * n + j] = i == k ? 0.5 * c[i] * c[k] : c[i] * c[k];
            }
        }
    }
}

/* The features of one trial, (length,K): means, and covariances packed. */
VDI__FN void vdi__plds_features(const vdi__plds_fit *f, int64_t i, const double *m,
                                const double *S) {
    const int64_t d = f->d;
    double *to = f->feature;
    for (int64_t t = 0; t < f->length[i]; t++) {
        const double *s = S + t * d * d;
        memcpy(to, m + t * d, (size_t)d * sizeof *to);
        to += d;
        for (int64_t r = 0; r < d; r++) {
            for (int64_t k = 0; k <= r; k++)
                *to++ = s[r * d + k];
        }
    }
}

/* Rates of one trial into f->rate: expected ones under N(m,S), or those at m where S is NULL. */
VDI__FN void vdi__plds_rates(const vdi__plds_fit *f, int64_t i, const double *m, const double *S) {
    const size_t n = (size_t)f->n, K = (size_t)(S ? f->K : f->d), rows = (size_t)f->length[i];
    const double *x = S ? f->feature : m;
    if (S) vdi__plds_features(f, i, m, S);
    if (!f->offset[i]) {
        vdi_affine(VDI_F64, rows, n, K, x, K, f->readout.in, n, f->readout.b, VDI_ACT_EXP, 0,
                   f->rate, n);
        return;
    }
    for (size_t t = 0; t < rows; t++) {
        vdi_binary(VDI_F64, VDI_ADD, n, f->offset[i] + t * n, 1, f->readout.b, 1, f->rate + t * n);
    }
    vdi_gemm(VDI_F64, VDI_GEMM_ACC, rows, n, K, x, K, f->readout.in, n, f->rate, n);
    vdi_exp(VDI_F64, rows * n, f->rate, f->rate);
}

/* ... and from them the site of a trial, into `site` (length,K); returns the sum of the rates. */
VDI__FN double vdi__plds_site(const vdi__plds_fit *f, int64_t i, const double *m, const double *S,
                              double *site) {
    const int64_t n = f->n, K = f->K, rows = f->length[i];
    vdi__plds_rates(f, i, m, S);
    vdi_gemm(VDI_F64, 0, (size_t)rows, (size_t)K, (size_t)n, f->rate, (size_t)n, f->readout.out,
             (size_t)K, site, (size_t)K);
    return vdi_sum(VDI_F64, (size_t)(rows * n), f->rate);
}

/* Block t of the prior's precision without A'Q^{-1}A, which the last bin lacks. */
VDI__FN const double *vdi__plds_own_block(const vdi__plds_fit *f, int64_t i, int64_t t) {
    if (t > 0) return f->prior->Qi;
    return f->first ? f->first + i * f->d * f->d : f->prior->Q0i;
}

/* ... and with it. */
VDI__FN void vdi__plds_prior_block(const vdi__plds_fit *f, int64_t i, int64_t t, double *D) {
    const double *own = vdi__plds_own_block(f, i, t);
    const bool last = t + 1 == f->length[i];
    for (int64_t k = 0; k < f->d * f->d; k++)
        D[k] = own[k] + (last ? 0 : f->prior->AQA[k]);
}

VDI__FN const double *vdi__plds_prior_h(const vdi__plds_fit *f, int64_t i) {
    return f->first_h ? f->first_h + i * f->d : f->prior->hx;
}

/* E of m'J m - 2 h'm of trial i under the Gaussian (the prior's J and h); with S = NULL at the
 * point m. */
VDI__FN double vdi__plds_quadratic(const vdi__plds_fit *f, int64_t i, const double *m,
                                   const double *S, const double *O) {
    const int64_t d = f->d, dd = d * d;
    const double *h = vdi__plds_prior_h(f, i);
    double total = 0;
    for (int64_t k = 0; k < d; k++)
        total -= 2 * h[k] * m[k];
    for (int64_t t = 0; t < f->length[i]; t++) {
        const double *own = vdi__plds_own_block(f, i, t);
        const double *more = f->prior->AQA;
        const double *E = f->prior->QA;
        const double *z = m + t * d, *s = S ? S + t * dd : NULL, *o = O ? O + t * dd : NULL;
        bool last = t + 1 == f->length[i];
        double sum = 0;
        for (int64_t r = 0; r < d; r++) {
            for (int64_t c = 0; c < d; c++) {
                double x = z[r] * z[c] + (s ? s[r * d + c] : 0);
                sum += x * (own[r * d + c] + (last ? 0 : more[r * d + c]));
                if (!last) sum += 2 * E[r * d + c] * (z[d + r] * z[c] + (o ? o[r * d + c] : 0));
            }
        }
        total += sum;
    }
    return total;
}

/* Counts times read-out, and the bound's constant: log y! and y (b + offset), 1/2 log|J0|, the
 * prior's square, the entropy's T d / 2. */
VDI__FN void vdi__plds_open(vdi__plds_fit *f, int64_t i, double log_y) {
    const int64_t d = f->d, n = f->n, rows = f->length[i];
    const double *y = f->y[i];
    if (rows == 0) return;
    if (f->left_out >= 0) {
        memcpy(f->rows, y, (size_t)(rows * n) * sizeof(double));
        for (int64_t t = 0; t < rows; t++)
            f->rows[t * n + f->left_out] = 0;
        y = f->rows;
    }
    vdi_gemm(VDI_F64, 0, (size_t)rows, (size_t)d, (size_t)n, y, (size_t)n, f->readout.out,
             (size_t)f->K, f->yC + i * f->T * d, (size_t)d);
    f->constant[i] = log_y;
    for (int64_t t = 0; f->left_out < 0 && t < rows; t++)
        f->constant[i] += vdi_dot(VDI_F64, (size_t)n, y + t * n, f->readout.b);
}

/* The bound of trial i at q, its own Gaussian (vdi__plds_from). */
VDI__FN double vdi__plds_bound(const vdi__plds_fit *f, int64_t i, const vdi__plds_q *q,
                               double rate_sum) {
    const double quad = vdi__plds_quadratic(f, i, q->m, q->S, q->O);
    const double *yC = f->yC + i * f->T * f->d;
    return f->constant[i] + vdi_dot(VDI_F64, (size_t)(f->length[i] * f->d), yC, q->m) - rate_sum -
           0.5 * (quad + q->logdet[0]);
}

/* Site and bound of trial i at q, its own Gaussian. */
VDI__FN void vdi__plds_evaluate(const vdi__plds_fit *f, int64_t i, const vdi__plds_q *q) {
    const double sum = vdi__plds_site(f, i, q->m, q->S, q->site);
    q->elbo[0] = vdi__plds_bound(f, i, q, sum);
}

/* ---- a Gaussian from what the counts say ----------------------------------------------------- */

VDI__FN vdi_status vdi__plds_bt_init(vdi__plds_fit *f, vdi_error *err) {
    vdi_blocktri_desc bd = VDI__ZERO;
    bd.dtype = VDI_F64;
    bd.trials = f->count;
    bd.T = f->T;
    bd.d = f->d;
    bd.lengths = f->length;
    return vdi_blocktri_init(&f->bt, &bd, f->bt_mem, f->bt_size, err);
}

/* Precision of trial i, into to->D and to->E: the prior's plus the sites' (length,K). */
VDI__FN void vdi__plds_precision(const vdi__plds_fit *f, int64_t i, const double *site,
                                 const vdi__plds_q *to) {
    const int64_t d = f->d, dd = d * d;
    for (int64_t t = 0; t < f->length[i]; t++) {
        double *D = to->D + t * dd;
        const double *h = site + t * f->K + d;
        vdi__plds_prior_block(f, i, t, D);
        for (int64_t r = 0; r < d; r++) {
            for (int64_t c = 0; c < r; c++, h++) {
                D[r * d + c] += *h;
                D[c * d + r] += *h;
            }
            D[r * d + r] += *h++;
        }
        if (t + 1 < f->length[i]) memcpy(to->E + t * dd, f->prior->QA, (size_t)dd * sizeof(double));
    }
}

/* k = h + C'(y - rate) + site m */
VDI__FN void vdi__plds_information(const vdi__plds_fit *f, int64_t i, const double *site,
                                   const double *m, double *k) {
    const int64_t d = f->d;
    const double *h0 = vdi__plds_prior_h(f, i), *yC = f->yC + i * f->T * d;
    for (int64_t t = 0; t < f->length[i]; t++) {
        const double *s = site + t * f->K, *h = s + d, *z = m + t * d;
        double *to = k + t * d;
        for (int64_t r = 0; r < d; r++)
            to[r] = (t == 0 ? h0[r] : 0) + yC[t * d + r] - s[r];
        for (int64_t r = 0; r < d; r++) {
            for (int64_t c = 0; c < r; c++, h++) {
                to[r] += *h * z[c];
                to[c] += *h * z[r];
            }
            to[r] += *h++ * z[r];
        }
    }
}

/* The moments of q from its natural parameters. */
VDI__FN vdi_status vdi__plds_moments_of(vdi__plds_fit *f, vdi__plds_q *q, vdi_error *err) {
    vdi_status status = vdi_blocktri_factor(&f->bt, q->D, q->E, err);
    if (status < 0) return status;
    vdi_blocktri_logdet(&f->bt, q->logdet);
    vdi_blocktri_solve(&f->bt, 1, q->k, q->m);
    vdi_blocktri_marginals(&f->bt, q->S, q->O);
    return VDI_OK;
}

/* Trial i of `from` into `to`, all of it. */
VDI__FN void vdi__plds_keep(const vdi__plds_fit *f, int64_t i, const vdi__plds_q *from,
                            const vdi__plds_q *to) {
    const vdi__plds_q a = vdi__plds_from(*from, i, f->T, f->d);
    const vdi__plds_q b = vdi__plds_from(*to, i, f->T, f->d);
    const size_t d = (size_t)f->d, dd = d * d, T = (size_t)f->T, K = (size_t)f->K;
    const size_t real = sizeof(double);
    memcpy(b.D, a.D, T * dd * real);
    memcpy(b.S, a.S, T * dd * real);
    memcpy(b.k, a.k, T * d * real);
    memcpy(b.m, a.m, T * d * real);
    memcpy(b.site, a.site, T * K * real);
    memcpy(b.E, a.E, (T - 1) * dd * real);
    memcpy(b.O, a.O, (T - 1) * dd * real);
    b.logdet[0] = a.logdet[0];
    b.elbo[0] = a.elbo[0];
}

/* ---- the mode -----------------------------------------------------------------------------------
 * Newton's method with halved steps: concave, so it arrives from anywhere. */

typedef struct vdi__plds_climb {
    double value[VDI__PLDS_GROUP], slope[VDI__PLDS_GROUP];
    bool active[VDI__PLDS_GROUP];
    int64_t left;
} vdi__plds_climb;

/* log p(y,z) at m, up to a constant; the sites there into `site`. */
VDI__FN double vdi__plds_log_joint(const vdi__plds_fit *f, int64_t i, const double *m,
                                   double rate_sum) {
    return vdi_dot(VDI_F64, (size_t)(f->length[i] * f->d), f->yC + i * f->T * f->d, m) - rate_sum -
           0.5 * vdi__plds_quadratic(f, i, m, NULL, NULL);
}
VDI__FN double vdi__plds_value(const vdi__plds_fit *f, int64_t i, const double *m, double *site) {
    return vdi__plds_log_joint(f, i, m, vdi__plds_site(f, i, m, NULL, site));
}

VDI__FN void vdi__plds_climb_begin(const vdi__plds_fit *f, vdi__plds_climb *c) {
    c->left = f->count;
    for (int64_t i = 0; i < f->count; i++) {
        const vdi__plds_q q = vdi__plds_now(f, i);
        c->active[i] = f->length[i] > 0;
        if (!c->active[i]) continue;
        c->value[i] = vdi__plds_value(f, i, q.m, q.site);
        if (c->value[i] > -HUGE_VAL) continue;
        /* a start that overflows: begin at 0 */
        memset(q.m, 0, (size_t)(f->T * f->d) * sizeof(double));
        c->value[i] = vdi__plds_value(f, i, q.m, q.site);
    }
}

/* Where Newton's step leads, J^{-1}(J m + gradient), into next.m. */
VDI__FN vdi_status vdi__plds_newton_target(vdi__plds_fit *f, vdi_error *err) {
    for (int64_t i = 0; i < f->count; i++) {
        const vdi__plds_q q = vdi__plds_now(f, i);
        if (f->length[i] == 0) continue;
        vdi__plds_precision(f, i, q.site, &q);
        vdi__plds_information(f, i, q.site, q.m, q.k);
    }
    const vdi_status status = vdi_blocktri_factor(&f->bt, f->now.D, f->now.E, err);
    if (status < 0) return status;
    vdi_blocktri_solve(&f->bt, 1, f->now.k, f->next.m);
    return VDI_OK;
}

/* The target becomes a step; a trial whose slope along it is next to nothing is done. */
VDI__FN void vdi__plds_newton_slope(vdi__plds_fit *f, double tolerance, vdi__plds_climb *c) {
    vdi_blocktri_matvec(&f->bt, f->now.D, f->now.E, 1, f->now.m, f->next.k);
    for (int64_t i = 0; i < f->count; i++) {
        const vdi__plds_q q = vdi__plds_now(f, i), next = vdi__plds_next_of(f, i);
        c->slope[i] = 0;
        for (int64_t k = 0; c->active[i] && k < f->length[i] * f->d; k++) {
            next.m[k] -= q.m[k];
            c->slope[i] += next.m[k] * (q.k[k] - next.k[k]);
        }
        if (c->active[i] && !(c->slope[i] > tolerance)) c->active[i] = false;
    }
}

/* The longest of the halved steps that raises the value enough; false if there is none. */
VDI__FN bool vdi__plds_newton_step(vdi__plds_fit *f, int64_t i, vdi__plds_climb *c) {
    const vdi__plds_q q = vdi__plds_now(f, i), next = vdi__plds_next_of(f, i);
    const int64_t size = f->length[i] * f->d;
    double step = 1;
    for (int halving = 0; halving < 50; halving++, step *= 0.5) {
        for (int64_t k = 0; k < size; k++)
            next.k[k] = q.m[k] + step * next.m[k];
        const double at = vdi__plds_value(f, i, next.k, next.site);
        if (!(at >= c->value[i] + 1e-4 * step * c->slope[i] - 1e-12 * fabs(c->value[i]))) continue;
        memcpy(q.m, next.k, (size_t)size * sizeof(double));
        memcpy(q.site, next.site, (size_t)(f->length[i] * f->K) * sizeof(double));
        c->value[i] = at;
        return true;
    }
    return false;
}

/* From now.m; at the end `now` is the Gaussian at the mode. */
VDI__FN vdi_status vdi__plds_mode(vdi__plds_fit *f, int iterations, double tolerance,
                                  vdi_error *err) {
    vdi__plds_climb c;
    vdi__plds_climb_begin(f, &c);
    for (int it = 0; it <= iterations; it++) {
        const vdi_status status = vdi__plds_newton_target(f, err);
        if (status < 0) return status;
        if (it == iterations || c.left == 0) break;
        vdi__plds_newton_slope(f, tolerance, &c);
        c.left = 0;
        for (int64_t i = 0; i < f->count; i++) {
            c.active[i] = c.active[i] && vdi__plds_newton_step(f, i, &c);
            c.left += c.active[i];
        }
    }
    /* the Gaussian there: k is J m at a mode; its own mean is used */
    vdi_blocktri_matvec(&f->bt, f->now.D, f->now.E, 1, f->now.m, f->now.k);
    vdi_blocktri_logdet(&f->bt, f->now.logdet);
    vdi_blocktri_marginals(&f->bt, f->now.S, f->now.O);
    for (int64_t i = 0; i < f->count; i++) {
        const vdi__plds_q q = vdi__plds_now(f, i);
        if (f->length[i] > 0) vdi__plds_evaluate(f, i, &q);
    }
    f->converged = c.left == 0;
    return VDI_OK;
}

/* ---- the best Gaussian --------------------------------------------------------------------------
 * Natural-gradient steps from `now`, whose moments, site and bound under these parameters are
 * given:
 *     (D, E, k) <- (1-r) (D, E, k) + r (prior + site, prior, h + C'(y - rate) + site m)
 * A trial that would fall stays, and tries a shorter r. Whole steps may swing about the top with a
 * factor near -1 (they do on sparse counts); after the first few, whole and half ones take turns,
 * which damps that and costs slow modes next to nothing. */

/* The natural parameters of trial i a step of length r on, into `next`. */
VDI__FN void vdi__plds_natural_step(const vdi__plds_fit *f, int64_t i, double r) {
    const vdi__plds_q q = vdi__plds_now(f, i), next = vdi__plds_next_of(f, i);
    const size_t d = (size_t)f->d, length = (size_t)f->length[i];
    vdi__plds_precision(f, i, q.site, &next);
    vdi__plds_information(f, i, q.site, q.m, next.k);
    if (r >= 1) return;
    vdi_axpby(VDI_F64, length * d * d, 1 - r, q.D, r, next.D);
    vdi_axpby(VDI_F64, (length - 1) * d * d, 1 - r, q.E, r, next.E);
    vdi_axpby(VDI_F64, length * d, 1 - r, q.k, r, next.k);
}

/* Trial i takes the step of length *rate if it rises by it; false if it is done. */
VDI__FN bool vdi__plds_judge(vdi__plds_fit *f, int64_t i, int it, double tolerance, double *rate) {
    const vdi__plds_q next = vdi__plds_next_of(f, i);
    vdi__plds_evaluate(f, i, &next);
    const double gain = f->next.elbo[i] - f->now.elbo[i];
    /* beside counts of millions the bound is a small difference of large sums */
    const double rounding = 1e-14 * fabs(f->constant[i]);
    const double close = tolerance * (1 + fabs(f->now.elbo[i])) + rounding;
    if (gain >= 0) {
        const bool done = gain < close && *rate >= 0.5;
        vdi__plds_keep(f, i, &f->next, &f->now);
        *rate = VDI__MIN(it >= 3 && it % 2 ? 0.5 : 1, 2 * *rate);
        return !done;
    }
    vdi__plds_keep(f, i, &f->now, &f->next);
    *rate *= 0.4;
    return !(gain > -close || *rate < 1e-6); /* no step up: this is the top, to rounding */
}

VDI__FN vdi_status vdi__plds_ascend(vdi__plds_fit *f, int iterations, double tolerance,
                                    vdi_error *err) {
    double rate[VDI__PLDS_GROUP];
    bool active[VDI__PLDS_GROUP];
    int64_t left = 0;
    for (int64_t i = 0; i < f->count; i++) {
        rate[i] = 1;
        active[i] = f->length[i] > 0;
        left += active[i];
        /* also keeps the lanes of a trial that is done factorisable */
        vdi__plds_keep(f, i, &f->now, &f->next);
    }
    for (int it = 0; it < iterations && left > 0; it++) {
        for (int64_t i = 0; i < f->count; i++)
            if (active[i]) vdi__plds_natural_step(f, i, rate[i]);
        const vdi_status status = vdi__plds_moments_of(f, &f->next, err);
        if (status < 0) return status;
        left = 0;
        for (int64_t i = 0; i < f->count; i++) {
            active[i] = active[i] && vdi__plds_judge(f, i, it, tolerance, &rate[i]);
            left += active[i];
        }
    }
    f->converged = left == 0;
    return VDI_OK;
}
#endif
