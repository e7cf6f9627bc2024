/* model/plds/posterior.h - the best Gaussian posterior of a Poisson linear dynamical system's
 * latents, and the evidence lower bound
 *
 * Do this:
 *     vdi_plds_moments out = {0};
 *     out.mean = means;                                        (trials,T,d)
 *     vdi_plds_infer(plds, counts, &out, &err);
 *     vdi_plds_elbo(plds, counts, NULL, &elbo, &err);          sum over trials, nats
 *
 * The posterior over all bins of a trial is sought among all Gaussians. The best of them has a
 * block-tridiagonal precision (the prior's, plus one d x d block per bin), and with an exponential
 * read-out every expectation is closed: E exp(c'z + b) = exp(c'm + b + c'Sc/2). It is reached by
 * natural-gradient steps in the precision and in precision times mean; a step that lowers a trial's
 * bound is undone and shortened, so the bound never falls. VDI_PLDS_LAPLACE takes the mode and the
 * curvature there instead; it is here for comparison. The data carry the posterior from call to
 * call: a search starts where the last one ended, whatever the parameters were.
 */
#ifndef VDI_MODEL_PLDS_POSTERIOR_H
#define VDI_MODEL_PLDS_POSTERIOR_H
#include "plds.h"

/** Where vdi_plds_infer writes; NULL members are not computed. What lies behind a trial's length
 * is 0. */
typedef struct vdi_plds_moments {
    double *mean;   /**< (trials,T,d) */
    double *cov;    /**< (trials,T,d,d): Cov(z_t) */
    double *lagcov; /**< (trials,T-1,d,d): Cov(z_{t+1}, z_t) */
    double *rate;   /**< (trials,T,n): posterior mean of the expected count, width and offset
                         included */
    double *elbo;   /**< (trials): evidence lower bound, nats, every constant included */
} vdi_plds_moments;

/** The posterior of every trial, to convergence. VDI_NOT_CONVERGED if a trial was still rising by
 * more than 1e-11 of its bound after 200 steps; the results are then valid, if not the best.
 * VDI_ERR_NUMERIC if a bound is not finite. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_infer(const vdi_plds *plds, vdi_plds_data *data,
                                                const vdi_plds_moments *out, vdi_error *err);
/** As vdi_plds_infer, the bound alone: elbo (trials) may be NULL; *sum over trials may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_elbo(const vdi_plds *plds, vdi_plds_data *data,
                                               double *elbo, double *sum, vdi_error *err);

#endif /* VDI_MODEL_PLDS_POSTERIOR_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_POSTERIOR_C)
#define VDI_MODEL_PLDS_POSTERIOR_C

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

/* Rates of one trial into f->rate: expected ones under N(m,S), or those at m where S is NULL. */
VDI__FN void vdi__plds_rates(const vdi__plds_fit *f, int64_t i, const double *m, const double *S) {
    const int64_t d = f->d;
    const int64_t n = f->n;
    const int64_t K = S ? f->K : d;
    const int64_t rows = f->length[i];
    const double *x = m;
    if (S) {
        for (int64_t t = 0; t < rows; t++) {
            double *to = f->feature + t * K;
            const double *s = S + t * d * d;
            for (int64_t k = 0; k < d; k++)
                *to++ = m[t * d + k];
            for (int64_t r = 0; r < d; r++) {
                for (int64_t k = 0; k <= r; k++)
                    *to++ = s[r * d + k];
            }
        }
        x = f->feature;
    }
    if (!f->offset[i]) {
        vdi_affine(VDI_F64, (size_t)rows, (size_t)n, (size_t)K, x, (size_t)K, f->readout.in,
                   (size_t)n, f->readout.b, VDI_ACT_EXP, 0, f->rate, (size_t)n);
        return;
    }
    for (int64_t t = 0; t < rows; t++) {
        vdi_binary(VDI_F64, VDI_ADD, (size_t)n, f->offset[i] + t * n, 1, f->readout.b, 1,
                   f->rate + t * n);
    }
    vdi_gemm(VDI_F64, VDI_GEMM_ACC, (size_t)rows, (size_t)n, (size_t)K, x, (size_t)K, f->readout.in,
             (size_t)n, f->rate, (size_t)n);
    vdi_exp(VDI_F64, (size_t)(rows * n), f->rate, f->rate);
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

/* Block t of the prior's precision. */
VDI__FN void vdi__plds_prior_block(const vdi__plds_fit *f, int64_t i, int64_t t, double *D) {
    const int64_t dd = f->d * f->d;
    const double *own = t > 0 ? f->prior->Qi : f->first ? f->first + i * dd : f->prior->Q0i;
    const double *more = f->prior->AQA;
    bool last = t + 1 == f->length[i];
    for (int64_t k = 0; k < dd; k++)
        D[k] = own[k] + (last ? 0 : more[k]);
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
        const double *own = t > 0 ? f->prior->Qi : f->first ? f->first + i * dd : f->prior->Q0i;
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

VDI__FN double vdi__plds_bound(const vdi__plds_fit *f, int64_t i, const vdi__plds_q *q,
                               double rate_sum) {
    const int64_t d = f->d, at = i * f->T, dd = d * d;
    double quad =
        vdi__plds_quadratic(f, i, q->m + at * d, q->S + at * dd, q->O + i * (f->T - 1) * dd);
    return f->constant[i] +
           vdi_dot(VDI_F64, (size_t)(f->length[i] * d), f->yC + at * d, q->m + at * d) - rate_sum -
           0.5 * (quad + q->logdet[i]);
}

/* site and bound of trial i of q */
VDI__FN void vdi__plds_evaluate(const vdi__plds_fit *f, int64_t i, vdi__plds_q *q) {
    const int64_t at = i * f->T;
    double sum =
        vdi__plds_site(f, i, q->m + at * f->d, q->S + at * f->d * f->d, q->site + at * f->K);
    q->elbo[i] = vdi__plds_bound(f, i, q, sum);
}

/* ---- searches -------------------------------------------------------------------------------- */

VDI__FN vdi_status vdi__plds_bt_init(vdi__plds_fit *f, vdi_error *err) {
    vdi_blocktri_desc bd = VDI__ZERO;
    bd.dtype = VDI_F64;
    bd.trials = f->count;
    bd.T = f->T;
    bd.d = f->d;
    bd.lengths = f->length;
    return vdi_blocktri_init(&f->bt, &bd, f->bt_mem, f->bt_size, err);
}

/* Precision of trial i: the prior's plus the sites'. */
VDI__FN void vdi__plds_precision(const vdi__plds_fit *f, int64_t i, const double *site, double *D,
                                 double *E) {
    const int64_t d = f->d, dd = d * d;
    for (int64_t t = 0; t < f->length[i]; t++) {
        double *to = D + t * dd;
        const double *h = site + t * f->K + d;
        vdi__plds_prior_block(f, i, t, to);
        for (int64_t r = 0; r < d; r++) {
            for (int64_t c = 0; c < r; c++, h++) {
                to[r * d + c] += *h;
                to[c * d + r] += *h;
            }
            to[r * d + r] += *h++;
        }
        if (t + 1 < f->length[i]) memcpy(E + t * dd, f->prior->QA, (size_t)dd * sizeof(double));
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

VDI__FN void vdi__plds_keep(const vdi__plds_fit *f, int64_t i, const vdi__plds_q *from,
                            vdi__plds_q *to) {
    const size_t d = (size_t)f->d;
    const size_t dd = d * d;
    const size_t T = (size_t)f->T;
    const size_t at = (size_t)i * T;
    const size_t lag = (size_t)i * (T - 1);
    const size_t real = sizeof(double);
    memcpy(to->D + at * dd, from->D + at * dd, T * dd * real);
    memcpy(to->S + at * dd, from->S + at * dd, T * dd * real);
    memcpy(to->k + at * d, from->k + at * d, T * d * real);
    memcpy(to->m + at * d, from->m + at * d, T * d * real);
    memcpy(to->site + at * (size_t)f->K, from->site + at * (size_t)f->K, T * (size_t)f->K * real);
    if (T > 1) {
        memcpy(to->E + lag * dd, from->E + lag * dd, (T - 1) * dd * real);
        memcpy(to->O + lag * dd, from->O + lag * dd, (T - 1) * dd * real);
    }
    to->logdet[i] = from->logdet[i];
    to->elbo[i] = from->elbo[i];
}

VDI__FN double vdi__plds_log_joint(const vdi__plds_fit *f, int64_t i, const double *m,
                                   double rate_sum) {
    return vdi_dot(VDI_F64, (size_t)(f->length[i] * f->d), f->yC + i * f->T * f->d, m) - rate_sum -
           0.5 * vdi__plds_quadratic(f, i, m, NULL, NULL);
}

/* The mode, by Newton's method with halved steps: concave, so it arrives from anywhere. From
 * `now.m`; at the end `now` is the Gaussian at the mode. */
VDI__FN vdi_status vdi__plds_mode(vdi__plds_fit *f, int iterations, double tolerance,
                                  vdi_error *err) {
    const int64_t d = f->d, T = f->T;
    double value[VDI__PLDS_GROUP], slope[VDI__PLDS_GROUP], step[VDI__PLDS_GROUP];
    bool active[VDI__PLDS_GROUP];
    int64_t left = f->count;
    vdi_status status = VDI_OK;
    for (int64_t i = 0; i < f->count; i++) {
        double *m = f->now.m + i * T * d;
        active[i] = f->length[i] > 0;
        if (!active[i]) continue;
        value[i] =
            vdi__plds_log_joint(f, i, m, vdi__plds_site(f, i, m, NULL, f->now.site + i * T * f->K));
        if (value[i] > -HUGE_VAL) continue;
        memset(m, 0, (size_t)(T * d) * sizeof(double)); /* a start that overflows: begin at 0 */
        value[i] =
            vdi__plds_log_joint(f, i, m, vdi__plds_site(f, i, m, NULL, f->now.site + i * T * f->K));
    }
    for (int it = 0; it <= iterations; it++) {
        for (int64_t i = 0; i < f->count; i++) {
            double *m = f->now.m + i * T * d, *k = f->now.k + i * T * d;
            if (f->length[i] == 0) continue;
            vdi__plds_precision(f, i, f->now.site + i * T * f->K, f->now.D + i * T * d * d,
                                f->now.E + i * (T - 1) * d * d);
            vdi__plds_information(f, i, f->now.site + i * T * f->K, m, k);
        }
        status = vdi_blocktri_factor(&f->bt, f->now.D, f->now.E, err);
        if (status < 0) return status;
        /* where Newton's step leads: J^{-1}(J m + gradient) */
        vdi_blocktri_solve(&f->bt, 1, f->now.k, f->next.m);
        if (it == iterations || left == 0) break;
        vdi_blocktri_matvec(&f->bt, f->now.D, f->now.E, 1, f->now.m, f->next.k);
        for (int64_t i = 0; i < f->count; i++) {
            double *to = f->next.m + i * T * d;
            double *m = f->now.m + i * T * d;
            double *Jm = f->next.k + i * T * d;
            double *k = f->now.k + i * T * d;
            slope[i] = 0;
            step[i] = 1;
            for (int64_t c = 0; active[i] && c < f->length[i] * d; c++) {
                to[c] -= m[c];
                slope[i] += to[c] * (k[c] - Jm[c]);
            }
            if (active[i] && !(slope[i] > tolerance)) active[i] = false;
        }
        left = 0;
        for (int64_t i = 0; i < f->count; i++) {
            double *dx = f->next.m + i * T * d;
            double *m = f->now.m + i * T * d;
            double *trial = f->next.k + i * T * d;
            double *site = f->next.site + i * T * f->K;
            if (!active[i]) continue;
            active[i] = false;
            for (int halving = 0; halving < 50; halving++, step[i] *= 0.5) {
                for (int64_t c = 0; c < f->length[i] * d; c++)
                    trial[c] = m[c] + step[i] * dx[c];
                double at =
                    vdi__plds_log_joint(f, i, trial, vdi__plds_site(f, i, trial, NULL, site));
                if (!(at >= value[i] + 1e-4 * step[i] * slope[i] - 1e-12 * fabs(value[i])))
                    continue;
                memcpy(m, trial, (size_t)(f->length[i] * d) * sizeof(double));
                memcpy(f->now.site + i * T * f->K, site,
                       (size_t)(f->length[i] * f->K) * sizeof(double));
                value[i] = at;
                active[i] = true;
                break;
            }
            left += active[i];
        }
    }
    /* the Gaussian there: k is J m at a mode; its own mean is used */
    vdi_blocktri_matvec(&f->bt, f->now.D, f->now.E, 1, f->now.m, f->now.k);
    vdi_blocktri_logdet(&f->bt, f->now.logdet);
    vdi_blocktri_marginals(&f->bt, f->now.S, f->now.O);
    for (int64_t i = 0; i < f->count; i++)
        if (f->length[i] > 0) vdi__plds_evaluate(f, i, &f->now);
    f->converged = left == 0;
    return VDI_OK;
}

/* The best Gaussian, by natural-gradient steps from `now`, whose moments, site and bound under
 * these parameters are given:
 *     (D, E, k) <- (1-r) (D, E, k) + r (prior + site, prior, h + C'(y - rate) + site m)
 * A trial that would fall stays, and tries a shorter r. Whole steps may swing about the top with a
 * factor near -1 (they do on sparse counts); after the first few, whole and half ones take turns,
 * which damps that and costs slow modes next to nothing. */
VDI__FN vdi_status vdi__plds_ascend(vdi__plds_fit *f, int iterations, double tolerance,
                                    vdi_error *err) {
    const int64_t d = f->d, dd = d * d, T = f->T;
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
        for (int64_t i = 0; i < f->count; i++) {
            const int64_t at = i * T, length = f->length[i];
            double *D = f->next.D + at * dd;
            double *E = f->next.E + i * (T - 1) * dd;
            double *k = f->next.k + at * d;
            double r = rate[i];
            if (!active[i]) continue;
            vdi__plds_precision(f, i, f->now.site + at * f->K, D, E);
            vdi__plds_information(f, i, f->now.site + at * f->K, f->now.m + at * d, k);
            if (r >= 1) continue;
            vdi_axpby(VDI_F64, (size_t)(length * dd), 1 - r, f->now.D + at * dd, r, D);
            vdi_axpby(VDI_F64, (size_t)((length - 1) * dd), 1 - r, f->now.E + i * (T - 1) * dd, r,
                      E);
            vdi_axpby(VDI_F64, (size_t)(length * d), 1 - r, f->now.k + at * d, r, k);
        }
        vdi_status status = vdi__plds_moments_of(f, &f->next, err);
        if (status < 0) return status;
        for (int64_t i = 0; i < f->count; i++) {
            if (!active[i]) continue;
            vdi__plds_evaluate(f, i, &f->next);
            double gain = f->next.elbo[i] - f->now.elbo[i];
            double close = tolerance * (1 + fabs(f->now.elbo[i]));
            if (gain >= 0) {
                vdi__plds_keep(f, i, &f->next, &f->now);
                if (gain < close && rate[i] >= 0.5) {
                    active[i] = false;
                    left--;
                }
                rate[i] = VDI__MIN(it >= 3 && it % 2 ? 0.5 : 1, 2 * rate[i]);
            } else {
                rate[i] *= 0.4;
                if (gain > -close || rate[i] < 1e-6) {
                    /* no step up: this is the top, to rounding */
                    active[i] = false;
                    left--;
                }
                vdi__plds_keep(f, i, &f->now, &f->next);
            }
        }
    }
    f->converged = left == 0;
    return VDI_OK;
}

/* ---- all trials ------------------------------------------------------------------------------ */

typedef struct vdi__plds_run {
    const vdi_plds *p;
    vdi_plds_data *a;
    vdi__lds_prior prior;
    int iterations; /* of the ascent; -1: to convergence */
    double tolerance;
} vdi__plds_run;

VDI__FN vdi_status vdi__plds_prepare(const vdi_plds *p, vdi_plds_data *a, vdi__plds_run *r,
                                     vdi_error *err) {
    vdi_lds chain = vdi__plds_chain(p);
    memset(r, 0, sizeof *r);
    r->p = p;
    r->a = a;
    vdi__plds_readout_set(p, a->log_width, &a->readout);
    for (int w = 0; w < vdi_pool_threads(a->pool); w++)
        a->worker[w].status = VDI_OK;
    return vdi__lds_prior_of(&chain, a->prior_work, &r->prior, err);
}

/* The first error of the workers, or VDI_NOT_CONVERGED. */
VDI__FN vdi_status vdi__plds_finish(const vdi_plds_data *a, const char *where, vdi_error *err) {
    vdi_status status = VDI_OK;
    for (int w = 0; w < vdi_pool_threads(a->pool); w++) {
        if (a->worker[w].status < 0)
            return vdi_error_set(err, a->worker[w].status, where, "%s", a->worker[w].err.message);
        if (a->worker[w].status > 0) status = a->worker[w].status;
    }
    return status;
}

/* A fit over group g with the worker's scratch; `now` is the worker's too. */
VDI__FN void vdi__plds_group(const vdi__plds_run *r, int64_t g, int worker, vdi__plds_fit *f) {
    vdi_plds_data *a = r->a;
    vdi__plds_worker *k = &a->worker[worker];
    const int64_t first = g * VDI__PLDS_GROUP;
    memset(f, 0, sizeof *f);
    f->prior = &r->prior;
    f->readout = a->readout;
    f->d = a->d;
    f->n = a->n;
    f->K = a->K;
    f->T = a->T;
    f->left_out = -1;
    f->count = VDI__MIN((int64_t)VDI__PLDS_GROUP, a->trials - first);
    for (int64_t i = 0; i < f->count; i++) {
        f->length[i] = a->lengths[first + i];
        f->y[i] = a->y + (first + i) * a->T * a->n;
        f->offset[i] = a->offset ? a->offset + (first + i) * a->T * a->n : NULL;
    }
    f->now = k->now;
    f->next = k->next;
    f->yC = k->yC;
    f->feature = k->feature;
    f->rate = k->rate;
    f->rows = k->rows;
    f->bt_mem = k->bt_mem;
    f->bt_size = a->bt_size;
}

/* The slice of the stored posterior that belongs to group g. */
VDI__FN vdi__plds_q vdi__plds_slice(const vdi_plds_data *a, int64_t g) {
    const int64_t i = g * VDI__PLDS_GROUP;
    const int64_t at = i * a->T;
    const int64_t lag = i * (a->T - 1);
    const int64_t dd = a->d * a->d;
    vdi__plds_q q = a->q;
    q.D += at * dd;
    q.S += at * dd;
    q.E += lag * dd;
    q.O += lag * dd;
    q.k += at * a->d;
    q.m += at * a->d;
    q.site += at * a->K;
    q.logdet += i;
    q.elbo += i;
    return q;
}

/* The bound's constants of a whole trial. */
VDI__FN void vdi__plds_open_all(const vdi__plds_run *r, int64_t g, vdi__plds_fit *f) {
    const double *x0 = r->p->x0;
    for (int64_t i = 0; i < f->count; i++) {
        double T = (double)f->length[i];
        if (f->length[i] == 0) continue;
        vdi__plds_open(f, i, r->a->log_y[g * VDI__PLDS_GROUP + i]);
        f->constant[i] +=
            0.5 * (T * (double)f->d - r->prior.logdet_0 - (T - 1) * r->prior.logdet_q -
                   vdi_dot(VDI_F64, (size_t)f->d, r->prior.hx, x0));
    }
}

/* Means where the latents rest without counts: a start that knows nothing. */
VDI__FN void vdi__plds_rest(const vdi__plds_run *r, vdi__plds_fit *f) {
    const size_t d = (size_t)f->d;
    for (int64_t i = 0; i < f->count; i++) {
        for (int64_t t = 0; t < f->length[i]; t++) {
            double *m = f->now.m + (i * f->T + t) * f->d;
            if (t == 0)
                memcpy(m, r->p->x0, d * sizeof *m);
            else
                vdi_gemv(VDI_F64, 0, d, d, r->p->A, d, m - d, m);
        }
    }
}

/* The posterior of one group, from rest or from the `now` it has. */
VDI__FN vdi_status vdi__plds_solve(const vdi__plds_run *r, vdi__plds_fit *f, bool warm,
                                   vdi_error *err) {
    const vdi_plds_method method = r->p->desc.method;
    vdi_status status = vdi__plds_bt_init(f, err);
    if (status < 0) return status;
    /* parameters may have been set in between: a start whose rates overflow is none */
    for (int64_t i = 0; warm && method == VDI_PLDS_VB && i < f->count; i++) {
        if (f->length[i] == 0) continue;
        vdi__plds_evaluate(f, i, &f->now);
        warm = fabs(f->now.elbo[i]) < HUGE_VAL;
    }
    if (!warm) vdi__plds_rest(r, f);
    if (method == VDI_PLDS_LAPLACE) return vdi__plds_mode(f, 200, 1e-13, err);
    if (!warm) {
        status = vdi__plds_mode(f, 30, 1e-4, err);
        if (status < 0) return status;
    }
    return vdi__plds_ascend(f,
                            r->iterations < 0 ? 200
                            : warm            ? r->iterations
                                              : 4 * r->iterations,
                            r->tolerance, err);
}

VDI__FN void vdi__plds_job(int64_t g, int worker, void *user) {
    vdi__plds_run *r = (vdi__plds_run *)user;
    vdi__plds_worker *k = &r->a->worker[worker];
    vdi__plds_fit f;
    if (k->status < 0) return;
    vdi__plds_group(r, g, worker, &f);
    f.now = vdi__plds_slice(r->a, g);
    vdi__plds_open_all(r, g, &f);
    vdi_status status = vdi__plds_solve(r, &f, r->a->warm, &k->err);
    for (int64_t i = 0; status == VDI_OK && i < f.count; i++) {
        if (f.length[i] == 0) {
            f.now.elbo[i] = 0;
        } else if (!(fabs(f.now.elbo[i]) < HUGE_VAL)) {
            status =
                vdi_error_set(&k->err, VDI_ERR_NUMERIC, "vdi_plds", "the bound of trial %lld is %g",
                              (long long)(g * VDI__PLDS_GROUP + i), f.now.elbo[i]);
        }
    }
    if (status == VDI_OK && r->iterations < 0 && !f.converged) status = VDI_NOT_CONVERGED;
    if (status != VDI_OK) k->status = status;
}

/* The stored posterior moves to that of these parameters: `iterations` of the ascent, or -1 for all
 * the way. */
VDI__FN vdi_status vdi__plds_posterior(const vdi_plds *p, vdi_plds_data *a, int iterations,
                                       vdi__plds_run *r, const char *where, vdi_error *err) {
    vdi_status status = vdi__plds_fits(p, a, where, err);
    if (status == VDI_OK) status = vdi__plds_prepare(p, a, r, err);
    if (status < 0) return status;
    r->iterations = iterations;
    r->tolerance = iterations < 0 ? 1e-11 : 1e-9;
    vdi_pool_run(a->pool, a->groups, vdi__plds_job, r);
    status = vdi__plds_finish(a, where, err);
    a->warm = status >= 0;
    return status;
}

typedef struct vdi__plds_rate_job {
    const vdi__plds_run *r;
    double *rate;
} vdi__plds_rate_job;

VDI__FN void vdi__plds_rate_group(int64_t g, int worker, void *user) {
    const vdi__plds_rate_job *k = (const vdi__plds_rate_job *)user;
    const vdi_plds_data *a = k->r->a;
    vdi__plds_fit f;
    vdi__plds_group(k->r, g, worker, &f);
    vdi__plds_q q = vdi__plds_slice(a, g);
    for (int64_t i = 0; i < f.count; i++) {
        double *to = k->rate + (g * VDI__PLDS_GROUP + i) * a->T * a->n;
        const double *offset = f.offset[i];
        memset(to, 0, (size_t)(a->T * a->n) * sizeof(double));
        if (f.length[i] == 0) continue;
        /* rates of missing counts too */
        for (int64_t c = 0; offset && c < f.length[i] * a->n; c++)
            f.rows[c] = offset[c] > VDI__PLDS_NEVER ? offset[c] : 0;
        if (offset) f.offset[i] = f.rows;
        vdi__plds_rates(&f, i, q.m + i * a->T * a->d, q.S + i * a->T * a->d * a->d);
        memcpy(to, f.rate, (size_t)(f.length[i] * a->n) * sizeof(double));
    }
}

VDI__DEF vdi_status vdi_plds_infer(const vdi_plds *plds, vdi_plds_data *data,
                                   const vdi_plds_moments *out, vdi_error *err) {
    const int64_t d = data->d, T = data->T, B = data->trials;
    vdi__plds_run r;
    vdi_status status = vdi__plds_posterior(plds, data, -1, &r, "vdi_plds_infer", err);
    if (status < 0) return status;
    if (out->mean) memcpy(out->mean, data->q.m, (size_t)(B * T * d) * sizeof(double));
    if (out->cov) memcpy(out->cov, data->q.S, (size_t)(B * T * d * d) * sizeof(double));
    if (out->lagcov && T > 1)
        memcpy(out->lagcov, data->q.O, (size_t)(B * (T - 1) * d * d) * sizeof(double));
    if (out->elbo) memcpy(out->elbo, data->q.elbo, (size_t)B * sizeof(double));
    if (out->rate) {
        vdi__plds_rate_job job;
        job.r = &r;
        job.rate = out->rate;
        vdi_pool_run(data->pool, data->groups, vdi__plds_rate_group, &job);
    }
    return status;
}

VDI__DEF vdi_status vdi_plds_elbo(const vdi_plds *plds, vdi_plds_data *data, double *elbo,
                                  double *sum, vdi_error *err) {
    vdi__plds_run r;
    vdi_status status = vdi__plds_posterior(plds, data, -1, &r, "vdi_plds_elbo", err);
    if (status < 0) return status;
    if (elbo) memcpy(elbo, data->q.elbo, (size_t)data->trials * sizeof(double));
    if (sum) *sum = vdi_sum(VDI_F64, (size_t)data->trials, data->q.elbo);
    return status;
}
#endif
