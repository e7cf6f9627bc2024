/* model/plds/sample.h - log p(y) of a Poisson linear dynamical system by importance sampling, and
 * samples from the model
 *
 * Do this:
 *     vdi_plds_log_likelihood(plds, counts, 64, 1, ll, NULL, &sum, &err);      64 samples, seed 1
 *     vdi_plds_simulate(plds, 1, trials, T, 0, NULL, work, z, NULL, y, &err);  data of seed 1
 *
 * Memory: none is allocated. Threads: data_desc.pool.
 */
#ifndef VDI_MODEL_PLDS_SAMPLE_H
#define VDI_MODEL_PLDS_SAMPLE_H
#include "posterior.h"

/** log p(y) of each trial by importance sampling from the best Gaussian (of the Laplace one, if
 * that is the model's method): ll (trials), an estimate that is too low on average, by about half
 * the variance of the weights over `samples`; ess (trials): effective samples, (sum w)^2 / sum w^2.
 * Either may be NULL, and so may *sum. Sample s of trial i draws from stream s * trials + i of
 * `seed`. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_log_likelihood(const vdi_plds *plds, vdi_plds_data *data,
                                                         int64_t samples, uint64_t seed, double *ll,
                                                         double *ess, double *sum, vdi_error *err);
/** Draw from the model: z (trials,T,d), rate (trials,T,n) (expected counts), y (trials,T,n); each
 * may be NULL but z. offset (trials,T,n) or NULL; width 0: 1. Trial i uses stream i of `seed`, its
 * counts stream 2^32 + i. `work` holds vdi_plds_simulate_work(plds) doubles. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_simulate(const vdi_plds *plds, uint64_t seed,
                                                   int64_t trials, int64_t T, double width,
                                                   const double *offset, double *work, double *z,
                                                   double *rate, double *y, vdi_error *err);
VDI_API size_t vdi_plds_simulate_work(const vdi_plds *plds);

#endif /* VDI_MODEL_PLDS_SAMPLE_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_SAMPLE_C)
#define VDI_MODEL_PLDS_SAMPLE_C

/* ---- log p(y) -------------------------------------------------------------------------------- */

typedef struct vdi__plds_sampling {
    const vdi__plds_run *r;
    int64_t samples;
    uint64_t seed;
    double *ll, *ess;
} vdi__plds_sampling;

/* Weights exp(w), summed about the largest so far. */
typedef struct vdi__plds_weights {
    double top, sum, square;
} vdi__plds_weights;

VDI__FN void vdi__plds_weigh(vdi__plds_weights *k, double w) {
    if (w > k->top) {
        const double scale = k->top > -HUGE_VAL ? exp(k->top - w) : 0;
        k->sum = k->sum * scale + 1;
        k->square = k->square * scale * scale + 1;
        k->top = w;
        return;
    }
    const double e = exp(w - k->top);
    k->sum += e;
    k->square += e * e;
}

/* Sample s of every trial of group g: log p(y,z) - log q(z) with q = N(m, J^{-1}), z = m + L^{-T}
 * eps. The sums of squares cost nothing, since log q holds |eps|^2. */
VDI__FN void vdi__plds_sample(const vdi__plds_sampling *u, int64_t g, int64_t s,
                              const vdi__plds_q *q, vdi__plds_fit *f, vdi__plds_weights *weights) {
    const vdi_plds_data *a = u->r->a;
    const int64_t d = a->d, T = a->T;
    double *z = f->next.m, eps2[VDI__PLDS_GROUP];
    for (int64_t i = 0; i < f->count; i++) {
        const int64_t size = f->length[i] * d, trial = g * VDI__PLDS_GROUP + i;
        vdi_rng rng = vdi_rng_make(u->seed, (uint64_t)(s * a->trials + trial));
        vdi_rng_fill_normal(&rng, VDI_F64, size, z + i * T * d);
        eps2[i] = vdi_dot(VDI_F64, (size_t)size, z + i * T * d, z + i * T * d);
    }
    vdi_blocktri_sample(&f->bt, 1, z, z);
    for (int64_t i = 0; i < f->count; i++) {
        const size_t size = (size_t)(f->length[i] * d), rates = (size_t)(f->length[i] * a->n);
        double *x = z + i * T * d;
        if (f->length[i] == 0) continue;
        vdi_axpby(VDI_F64, size, 1, q->m + i * T * d, 1, x);
        vdi__plds_rates(f, i, x, NULL);
        double w = vdi__plds_log_joint(f, i, x, vdi_sum(VDI_F64, rates, f->rate)) + f->constant[i];
        /* the bound's constant holds T d / 2, which is not wanted here */
        w += 0.5 * (eps2[i] - q->logdet[i] - (double)size);
        vdi__plds_weigh(&weights[i], w);
    }
}

VDI__FN void vdi__plds_sample_group(int64_t g, int worker, void *user) {
    const vdi__plds_sampling *u = (const vdi__plds_sampling *)user;
    vdi__plds_worker *k = &u->r->a->worker[worker];
    vdi__plds_weights weights[VDI__PLDS_GROUP];
    vdi__plds_fit f;
    if (k->status < 0) return;
    vdi__plds_group(u->r, g, worker, &f);
    const vdi__plds_q q = vdi__plds_slice(u->r->a, g);
    vdi__plds_open_all(u->r, g, &f);
    vdi_status status = vdi__plds_bt_init(&f, &k->err);
    if (status == VDI_OK) status = vdi_blocktri_factor(&f.bt, q.D, q.E, &k->err);
    if (status < 0) {
        k->status = status;
        return;
    }
    for (int64_t i = 0; i < f.count; i++) {
        weights[i].top = -HUGE_VAL;
        weights[i].sum = weights[i].square = 0;
    }
    for (int64_t s = 0; s < u->samples; s++)
        vdi__plds_sample(u, g, s, &q, &f, weights);
    for (int64_t i = 0; i < f.count; i++) {
        const vdi__plds_weights *w = &weights[i];
        const int64_t at = g * VDI__PLDS_GROUP + i;
        const double samples = (double)u->samples;
        u->ll[at] = f.length[i] > 0 ? w->top + log(w->sum / samples) : 0;
        if (u->ess) u->ess[at] = f.length[i] > 0 ? w->sum * w->sum / w->square : samples;
    }
}

VDI__DEF vdi_status vdi_plds_log_likelihood(const vdi_plds *plds, vdi_plds_data *data,
                                            int64_t samples, uint64_t seed, double *ll, double *ess,
                                            double *sum, vdi_error *err) {
    const char *where = "vdi_plds_log_likelihood";
    vdi__plds_run r;
    vdi__plds_sampling u;
    if (samples < 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "samples is %lld, expected at least 1",
                             (long long)samples);
    }
    vdi_status fit = vdi__plds_posterior(plds, data, -1, &r, where, err);
    if (fit < 0) return fit;
    u.r = &r;
    u.samples = samples;
    u.seed = seed;
    u.ess = ess;
    /* without a place of their own they stand where the bounds stood, which every search finds
     * anew */
    u.ll = ll ? ll : data->q.elbo;
    for (int w = 0; w < vdi_pool_threads(data->pool); w++)
        data->worker[w].status = VDI_OK;
    vdi_pool_run(data->pool, data->groups, vdi__plds_sample_group, &u);
    vdi_status status = vdi__plds_finish(data, where, err);
    if (status < 0) return status;
    if (sum) *sum = vdi_sum(VDI_F64, (size_t)data->trials, u.ll);
    return fit;
}

/* ---- drawing --------------------------------------------------------------------------------- */

VDI__DEF size_t vdi_plds_simulate_work(const vdi_plds *plds) {
    return VDI__CHAIN_PATH_WORK((size_t)plds->desc.d);
}

/* Expected counts of a bin with latents z: half a billion at most, no count is beyond. */
VDI__FN double vdi__plds_expected(const vdi_plds *p, int64_t j, double log_width, double offset,
                                  const double *z) {
    double eta = p->b[j] + log_width + offset;
    for (int64_t k = 0; k < p->desc.d; k++)
        eta += p->C[j * p->desc.d + k] * z[k];
    return exp(VDI__MIN(eta, 20));
}

/* The latents of trial i, from its stream. */
VDI__FN void vdi__plds_draw_latents(const vdi__chain *chain, vdi__chain_path *path, uint64_t seed,
                                    int64_t i, int64_t T, double *z) {
    vdi_rng rng = vdi_rng_make(seed, (uint64_t)i);
    double unused;
    for (int64_t t = 0; t < T; t++) {
        vdi__chain_draw(chain, path, t, NULL, &rng);
        memcpy(z + t * chain->d, path->state, (size_t)chain->d * sizeof *z);
        /* the stream is that of an lds with one channel, and stays so: a seed keeps its data */
        vdi_rng_fill_normal(&rng, VDI_F64, 1, &unused);
    }
}

VDI__DEF vdi_status vdi_plds_simulate(const vdi_plds *plds, uint64_t seed, int64_t trials,
                                      int64_t T, double width, const double *offset, double *work,
                                      double *z, double *rate, double *y, vdi_error *err) {
    const int64_t d = plds->desc.d, n = plds->desc.n;
    const double log_width = width > 0 ? log(width) : 0;
    const vdi__chain chain = vdi__plds_chain(plds);
    vdi__chain_path path;
    const vdi_status status = vdi__chain_path_of(&chain, work, &path, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < trials; i++) {
        vdi_rng rng = vdi_rng_make(seed, ((uint64_t)1 << 32) + (uint64_t)i);
        vdi__plds_draw_latents(&chain, &path, seed, i, T, z + i * T * d);
        for (int64_t at = i * T * n; at < (i + 1) * T * n; at++) {
            const double expected = vdi__plds_expected(plds, at % n, log_width,
                                                       offset ? offset[at] : 0, z + at / n * d);
            if (rate) rate[at] = expected;
            if (y) y[at] = (double)vdi_rng_poisson(&rng, expected);
        }
    }
    return VDI_OK;
}
#endif
