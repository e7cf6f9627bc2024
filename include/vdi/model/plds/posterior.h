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
#include "fit.h"

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

/* ---- all trials ------------------------------------------------------------------------------ */

typedef struct vdi__plds_run {
    const vdi_plds *p;
    vdi_plds_data *a;
    vdi__chain_prior prior;
    int iterations; /* of the ascent; -1: to convergence */
    double tolerance;
} vdi__plds_run;

VDI__FN vdi_status vdi__plds_prepare(const vdi_plds *p, vdi_plds_data *a, vdi__plds_run *r,
                                     vdi_error *err) {
    const vdi__chain chain = vdi__plds_chain(p);
    memset(r, 0, sizeof *r);
    r->p = p;
    r->a = a;
    vdi__plds_readout_set(p, a->log_width, &a->readout);
    for (int w = 0; w < vdi_pool_threads(a->pool); w++)
        a->worker[w].status = VDI_OK;
    return vdi__chain_prior_of(&chain, a->prior_work, &r->prior, err);
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

/* The stored posterior of group g. */
VDI__FN vdi__plds_q vdi__plds_slice(const vdi_plds_data *a, int64_t g) {
    return vdi__plds_from(a->q, g * VDI__PLDS_GROUP, a->T, a->d);
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

/* The bounds at `now` under these parameters, which may have been set in between; false if one is
 * not finite: a start whose rates overflow is none. */
VDI__FN bool vdi__plds_still_warm(vdi__plds_fit *f) {
    for (int64_t i = 0; i < f->count; i++) {
        const vdi__plds_q q = vdi__plds_now(f, i);
        if (f->length[i] == 0) continue;
        vdi__plds_evaluate(f, i, &q);
        if (!vdi__is_finite(q.elbo[0])) return false;
    }
    return true;
}

/* The posterior of one group, from rest or from the `now` it has. */
VDI__FN vdi_status vdi__plds_solve(const vdi__plds_run *r, vdi__plds_fit *f, bool warm,
                                   vdi_error *err) {
    const bool laplace = r->p->desc.method == VDI_PLDS_LAPLACE;
    vdi_status status = vdi__plds_bt_init(f, err);
    if (status < 0) return status;
    if (warm && !laplace) warm = vdi__plds_still_warm(f);
    if (!warm) vdi__plds_rest(r, f);
    if (laplace) return vdi__plds_mode(f, 200, 1e-13, err);
    if (!warm) status = vdi__plds_mode(f, 30, 1e-4, err);
    if (status < 0) return status;
    int iterations = warm ? r->iterations : 4 * r->iterations;
    if (r->iterations < 0) iterations = 200;
    return vdi__plds_ascend(f, iterations, r->tolerance, err);
}

VDI__FN void vdi__plds_job(int64_t g, int worker, void *user) {
    vdi__plds_run *r = (vdi__plds_run *)user;
    vdi__plds_worker *k = &r->a->worker[worker];
    vdi__plds_fit f;
    if (k->status < 0) return;
    vdi__plds_group(r, g, worker, &f);
    f.now = vdi__plds_slice(r->a, g);
    vdi__plds_open_all(r, g, &f);
    vdi_status status = vdi__plds_solve(r, &f, r->a->warm != 0, &k->err);
    for (int64_t i = 0; status == VDI_OK && i < f.count; i++) {
        if (f.length[i] == 0) f.now.elbo[i] = 0;
        if (vdi__is_finite(f.now.elbo[i])) continue;
        status =
            vdi_error_set(&k->err, VDI_ERR_NUMERIC, "vdi_plds", "the bound of trial %lld is %g",
                          (long long)(g * VDI__PLDS_GROUP + i), f.now.elbo[i]);
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
