/* model/plds/em.h - learning a Poisson linear dynamical system by expectation-maximisation
 *
 * Do this:
 *     vdi_plds_init(plds, counts, 1, &err);
 *     for (int i = 0; i < 40; i++)
 *         if (vdi_plds_em_step(plds, counts, &elbo, &err) < 0)
 *             puts(err.message);   the bound before the step
 *     vdi_plds_elbo(plds, counts, NULL, &elbo, &err);
 *
 * A step is: a few natural-gradient steps of the posterior, from where the last step left it; then
 * A, Q, x0, Q0 in closed form (lds/chain.h), and C, b neuron by neuron with a few Newton steps on
 * the expected log likelihood less ridge/2 |C|^2. A neuron's step is taken if neither that nor the
 * expected log likelihood alone falls, so neither the bound nor the penalised bound, ELBO - ridge/2
 * sum |C|^2, ever falls (beyond rounding). So the ridge prevents C from diverging where there are
 * few spikes; it does not shrink a well-determined C. (As a prior it would mean little: larger
 * latents make the same model with a smaller C.) A's spectral radius is kept at desc.max_radius or
 * below, without loss of monotonicity. A neuron without a spike keeps a finite b: its rate is
 * lowered until it expects fewer than 0.001 spikes in all. With VDI_PLDS_LAPLACE the posterior is
 * the Gaussian at the mode, and nothing is guaranteed: on sparse counts the bound rises for some
 * steps and then falls. A step is a transaction: if anything in it fails, the parameters are as
 * they were.
 * Source: Macke et al. 2011 (Laplace-EM); Emtiyaz Khan and Lin 2017 (the natural-gradient steps);
 * docs/guide/plds.md.
 */
#ifndef VDI_MODEL_PLDS_EM_H
#define VDI_MODEL_PLDS_EM_H
#include "posterior.h"

/** One step of EM. `elbo` (may be NULL) receives the sum over trials of the bound under the
 * parameters before the step. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_em_step(vdi_plds *plds, vdi_plds_data *data, double *elbo,
                                                  vdi_error *err);
/** ridge/2 sum |C|^2, nats: what EM subtracts from the bound. */
VDI_API double vdi_plds_penalty(const vdi_plds *plds);

#endif /* VDI_MODEL_PLDS_EM_H */

#if defined(VDI__BODIES) && defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_MODEL_PLDS_EM_C)
#define VDI_MODEL_PLDS_EM_C

VDI__DEF double vdi_plds_penalty(const vdi_plds *plds) {
    size_t count = (size_t)(plds->desc.n * plds->desc.d);
    return 0.5 * plds->desc.ridge * vdi_dot(VDI_F64, count, plds->C, plds->C);
}

/* ---- the read-out of one neuron -------------------------------------------------------------- */

typedef struct vdi__plds_newton_run {
    const vdi_plds *p;
    vdi_plds *next;
    vdi_plds_data *a;
} vdi__plds_newton_run;

/* v_i = (S c)_i over `rows` bins from `first`, by the columns of the packed S. */
VDI__FN void vdi__plds_covariance_row(const vdi_plds_data *a, int64_t i, int64_t first, size_t rows,
                                      const double *c, double *v) {
    for (int64_t k = 0; k < a->d; k++) {
        const int64_t at = i >= k ? i * (i + 1) / 2 + k : k * (k + 1) / 2 + i;
        const double *S = a->st + at * a->rows + first;
        if (k == 0)
            vdi_binary(VDI_F64, VDI_MUL, rows, S, 1, c, 0, v);
        else
            vdi_muladd(VDI_F64, rows, S, 1, c + k, 0, v);
    }
}

/* Expected rates of neuron j over `rows` bins from `first`, and m + S c into G. */
VDI__FN void vdi__plds_neuron_rates(const vdi_plds_data *a, int64_t j, int64_t first, size_t rows,
                                    vdi__plds_newton *k) {
    const double b = k->w[a->d] + a->log_width;
    if (a->offset_t) {
        const double *offset = a->offset_t + j * a->rows + first;
        vdi_binary(VDI_F64, VDI_ADD, rows, offset, 1, &b, 0, k->rate);
    } else {
        vdi_fill(VDI_F64, rows, b, k->rate);
    }
    for (int64_t i = 0; i < a->d; i++) {
        double *v = k->G + i * VDI__PLDS_CHUNK;
        const double *m = a->mt + i * a->rows + first, half = 0.5 * k->w[i];
        vdi__plds_covariance_row(a, i, first, rows, k->w, v);
        vdi_muladd(VDI_F64, rows, m, 1, k->w + i, 0, k->rate);
        vdi_muladd(VDI_F64, rows, v, 1, &half, 0, k->rate);
        vdi_axpby(VDI_F64, rows, 1, m, 1, v);
    }
    vdi_exp(VDI_F64, rows, k->rate, k->rate);
}

/* f(w) = sum over bins of E[y eta - exp eta] - ridge/2 |c|^2 for w = (c, b), eta ~ N(c'm + b +
 * offset, c'Sc); its gradient g and -Hessian H. With v = S c:
 *     d/dc of the rate = rate (m + v),   second derivative rate ((m + v)(m + v)' + S) */
VDI__FN double vdi__plds_neuron(const vdi_plds_data *a, int64_t j, double ridge,
                                vdi__plds_newton *k) {
    const int64_t d = a->d, D = d + 1, R = a->rows;
    const double *moment = a->moment + j * d, *w = k->w;
    double f = a->total[j] * w[d], total = 0;
    memset(k->H, 0, (size_t)(D * D) * sizeof(double));
    for (int64_t first = 0; first < R; first += VDI__PLDS_CHUNK) {
        const size_t rows = (size_t)VDI__MIN(R - first, (int64_t)VDI__PLDS_CHUNK);
        vdi__plds_neuron_rates(a, j, first, rows, k);
        total += vdi_sum(VDI_F64, rows, k->rate);
        for (int64_t i = 0, at = 0; i < d; i++) {
            /* products of two short rows: dot products beat a packed product here */
            vdi_binary(VDI_F64, VDI_MUL, rows, k->G + i * VDI__PLDS_CHUNK, 1, k->rate, 1, k->LG);
            k->H[d * D + i] += vdi_sum(VDI_F64, rows, k->LG);
            for (int64_t c = 0; c <= i; c++, at++) {
                k->H[i * D + c] += vdi_dot(VDI_F64, rows, k->LG, k->G + c * VDI__PLDS_CHUNK) +
                                   vdi_dot(VDI_F64, rows, a->st + at * R + first, k->rate);
            }
        }
    }
    k->H[d * D + d] = total;
    k->g[d] = a->total[j] - total;
    for (int64_t i = 0; i < d; i++) {
        f += moment[i] * w[i] - 0.5 * ridge * w[i] * w[i];
        k->g[i] = moment[i] - k->H[d * D + i] - ridge * w[i];
        k->H[i * D + i] += ridge;
    }
    return f - total;
}

/* Newton's step into dx, and the slope along it; 0 where there is none. What is fixed does not
 * move. */
VDI__FN double vdi__plds_neuron_direction(int64_t d, bool fixed_c, bool fixed_b,
                                          vdi__plds_newton *k) {
    const int64_t D = d + 1;
    double slope = 0;
    for (int64_t i = 0; i < D; i++) {
        const bool fixed = i < d ? fixed_c : fixed_b;
        for (int64_t r = 0; fixed && r < D; r++)
            *(r < i ? k->H + i * D + r : k->H + r * D + i) = r == i;
        k->dx[i] = fixed ? 0 : k->g[i];
    }
    if (vdi_cholesky(VDI_F64, (size_t)D, k->H, (size_t)D, NULL) < 0) return 0;
    vdi_cholesky_solve(VDI_F64, (size_t)D, 1, k->H, (size_t)D, k->dx, 1);
    for (int64_t i = 0; i < D; i++)
        slope += k->dx[i] * k->g[i];
    return slope;
}

/* The longest of the halved steps from w that raises f enough; f there, or -infinity. */
VDI__FN double vdi__plds_neuron_search(const vdi_plds_data *a, int64_t j, double ridge,
                                       double value, double slope, vdi__plds_newton *k) {
    const int64_t D = a->d + 1;
    double length = 1;
    memcpy(k->old, k->w, (size_t)D * sizeof(double));
    for (int halving = 0; halving < 40; halving++, length *= 0.5) {
        for (int64_t i = 0; i < D; i++)
            k->w[i] = k->old[i] + length * k->dx[i];
        const double now = vdi__plds_neuron(a, j, ridge, k);
        if (now >= value + 1e-4 * length * slope) return now;
    }
    return -HUGE_VAL;
}

VDI__FN void vdi__plds_newton_job(int64_t j, int worker, void *user) {
    const vdi__plds_newton_run *u = (const vdi__plds_newton_run *)user;
    const vdi_plds_data *a = u->a;
    const vdi_plds_desc *desc = &u->p->desc;
    const int64_t d = a->d, D = d + 1;
    const bool fixed_c = (desc->freeze & VDI_LDS_C) != 0;
    const bool fixed_b = (desc->freeze & VDI_LDS_BIAS) != 0;
    vdi__plds_newton *k = &u->a->worker[worker].newton;
    if (!(a->seen[j] > 0)) return; /* a neuron that is never seen keeps its read-out */
    memcpy(k->w, u->p->C + j * d, (size_t)d * sizeof(double));
    k->w[d] = u->p->b[j];
    double value = vdi__plds_neuron(a, j, desc->ridge, k);
    double square = vdi_dot(VDI_F64, (size_t)d, k->w, k->w);
    const double without = value + 0.5 * desc->ridge * square; /* the bound's own part */
    for (int step = 0; step < desc->m_steps && value > -HUGE_VAL; step++) {
        const bool still = fixed_b || (a->total[j] == 0 && k->H[d * D + d] < 1e-3);
        const double slope = vdi__plds_neuron_direction(d, fixed_c, still, k);
        if (!(slope > 1e-12 * (1 + fabs(value)))) break;
        value = vdi__plds_neuron_search(a, j, desc->ridge, value, slope, k);
        if (!(value > -HUGE_VAL)) break;
        square = vdi_dot(VDI_F64, (size_t)d, k->w, k->w);
        /* a rise that is the penalty's alone is not taken, unless the next step mends it */
        if (value + 0.5 * desc->ridge * square < without) continue;
        if (!fixed_c) memcpy(u->next->C + j * d, k->w, (size_t)d * sizeof(double));
        if (!fixed_b) u->next->b[j] = k->w[d];
    }
}

/* The posterior by columns, and the sums of counts times means. */
VDI__FN void vdi__plds_transpose(vdi_plds_data *a) {
    const int64_t d = a->d, n = a->n, T = a->T;
    memset(a->moment, 0, (size_t)(n * d) * sizeof(double));
    for (int64_t i = 0, r = 0; i < a->trials; i++) {
        const double *m = a->q.m + i * T * d, *S = a->q.S + i * T * d * d;
        vdi__add_products(n, d, a->lengths[i], a->y + i * T * n, n, m, d, a->moment, d);
        for (int64_t t = 0; t < a->lengths[i]; t++, r++) {
            double *to = a->st + r;
            for (int64_t k = 0; k < d; k++)
                a->mt[k * a->rows + r] = m[t * d + k];
            for (int64_t k = 0; k < d; k++) {
                for (int64_t l = 0; l <= k; l++, to += a->rows)
                    *to = S[t * d * d + k * d + l];
            }
        }
    }
}

/* ---- the step -------------------------------------------------------------------------------- */

/* The stored posterior as the M-step of the latents sees it: each trial a lane of its own. */
VDI__FN vdi__chain_moments vdi__plds_chain_moments(const vdi_plds_data *a) {
    vdi__chain_moments q = VDI__ZERO;
    q.trials = q.lanes = a->trials;
    q.T = a->T;
    q.lengths = q.lane_lengths = a->lengths;
    q.m = a->q.m;
    return q;
}

VDI__FN void vdi__plds_add_covariances(vdi_plds_data *a) {
    const int64_t dd = a->d * a->d;
    vdi__chain_clear_covariances(&a->chain);
    for (int64_t i = 0; i < a->trials; i++) {
        if (a->lengths[i] == 0) continue;
        vdi__chain_add_covariances(&a->chain, 1, a->lengths[i], 0, a->lengths[i],
                                   a->q.S + i * a->T * dd, a->q.O + i * (a->T - 1) * dd);
    }
}

VDI__DEF vdi_status vdi_plds_em_step(vdi_plds *plds, vdi_plds_data *data, double *elbo,
                                     vdi_error *err) {
    static const char where[] = "vdi_plds_em_step";
    vdi__plds_run r;
    vdi__plds_newton_run u;
    vdi_status status = vdi__plds_posterior(plds, data, plds->desc.e_steps, &r, where, err);
    if (status < 0) return status;
    vdi_plds next = vdi__plds_next(plds);
    const vdi__chain now = vdi__plds_chain(plds), then = vdi__plds_chain(&next);
    const vdi__chain_moments moments = vdi__plds_chain_moments(data);
    vdi__plds_add_covariances(data);
    status = vdi__chain_update(&now, &then, &moments, &data->chain, err);
    if (status < 0) return status;
    u.p = plds;
    u.next = &next;
    u.a = data;
    vdi__plds_transpose(data);
    vdi_pool_run(data->pool, data->n, vdi__plds_newton_job, &u);
    status = vdi__block_commit(plds->param_count, plds->update, plds->A, where, err);
    if (status == VDI_OK && elbo) *elbo = vdi_sum(VDI_F64, (size_t)data->trials, data->q.elbo);
    return status;
}
#endif
