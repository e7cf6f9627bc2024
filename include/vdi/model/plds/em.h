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
 * A, Q, x0, Q0 in closed form (lds_em.h), and C, b neuron by neuron with a few Newton steps on the
 * expected log likelihood less ridge/2 |C|^2. A neuron's step is taken if neither that nor the
 * expected log likelihood alone falls, so neither the bound nor the penalised bound, ELBO - ridge/2
 * sum |C|^2, ever falls (beyond rounding). So the ridge keeps C from running away where there are
 * few spikes; it does not shrink a C that is there. (As a prior it would mean little: larger
 * latents make the same model with a smaller C.) A's spectral radius is kept at desc.max_radius or
 * below, without loss of monotony. A neuron without a spike keeps a finite b: its rate is lowered
 * until it expects fewer than 0.001 spikes in all. With VDI_PLDS_LAPLACE the posterior is the
 * Gaussian at the mode, and nothing is promised: on sparse counts the bound rises for some steps
 * and then falls. A step is a transaction: if anything in it fails, the parameters are as they
 * were.
 * Source: Macke et al. 2011 (Laplace-EM); Emtiyaz Khan and Lin 2017 (the natural-gradient steps);
 * docs/guide/plds.md.
 */
#ifndef VDI_MODEL_PLDS_EM_H
#define VDI_MODEL_PLDS_EM_H
#include "../lds/em.h"
#include "posterior.h"

/** A start for EM: principal components of the logarithm of smoothed counts (Gaussian kernel,
 * standard deviation 3 bins; subspace iteration from `seed`), A = 0.95 I, Q = (1 - 0.95^2) I, x0 =
 * 0, Q0 = I. Leaves frozen parameters alone. */
VDI_API VDI_NODISCARD vdi_status vdi_plds_init(vdi_plds *plds, vdi_plds_data *data, uint64_t seed,
                                               vdi_error *err);
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

typedef struct vdi__plds_newton {
    vdi_plds *p, *next;
    vdi_plds_data *a;
} vdi__plds_newton;

/* Scratch of a worker: H (D,D), of which the lower triangle counts; w, step, gradient (D); then
 * chunks. */
typedef struct vdi__plds_newton_work {
    double *H, *w, *dx, *g, *G, *LG, *rate;
} vdi__plds_newton_work;

VDI__FN vdi__plds_newton_work vdi__plds_newton_of(const vdi_plds_data *a, double *at) {
    const int64_t D = a->d + 1;
    vdi__plds_newton_work k;
    k.H = at;
    at += D * D;
    k.w = at;
    at += D;
    k.dx = at;
    at += D;
    k.g = at;
    at += D;
    k.G = at;
    at += a->d * VDI__PLDS_CHUNK;
    k.LG = at;
    at += VDI__PLDS_CHUNK;
    k.rate = at;
    return k;
}

/* f(w) = sum over bins of E[y eta - exp eta] - ridge/2 |c|^2 for w = (c, b), eta ~ N(c'm + b +
 * offset, c'Sc); its gradient g and -Hessian
 * H. With v = S c:  d/dc of the rate = rate (m + v),  second derivative rate ((m + v)(m + v)' +
 * S). */
VDI__FN double vdi__plds_neuron(const vdi_plds_data *a, int64_t j, double log_width, double ridge,
                                const double *w, vdi__plds_newton_work *k) {
    const int64_t d = a->d, D = d + 1, R = a->rows;
    const double *moment = a->moment + j * d, b = w[d] + log_width;
    double f = a->total[j] * w[d], total = 0;
    memset(k->H, 0, (size_t)(D * D) * sizeof(double));
    for (int64_t first = 0; first < R; first += VDI__PLDS_CHUNK) {
        const size_t rows = (size_t)VDI__MIN(R - first, (int64_t)VDI__PLDS_CHUNK);
        double *rate = k->rate, half;
        if (a->offset_t)
            vdi_binary(VDI_F64, VDI_ADD, rows, a->offset_t + j * R + first, 1, &b, 0, rate);
        else
            vdi_fill(VDI_F64, rows, b, rate);
        for (int64_t i = 0; i < d; i++) {
            double *v = k->G + i * VDI__PLDS_CHUNK;
            const double *m = a->mt + i * R + first;
            for (int64_t c = 0; c < d; c++) {
                int64_t at = i >= c ? i * (i + 1) / 2 + c : c * (c + 1) / 2 + i;
                if (c == 0)
                    vdi_binary(VDI_F64, VDI_MUL, rows, a->st + at * R + first, 1, w, 0, v);
                else
                    vdi_muladd(VDI_F64, rows, a->st + at * R + first, 1, w + c, 0, v);
            }
            half = 0.5 * w[i];
            vdi_muladd(VDI_F64, rows, m, 1, w + i, 0, rate);
            vdi_muladd(VDI_F64, rows, v, 1, &half, 0, rate);
            vdi_axpby(VDI_F64, rows, 1, m, 1, v);
        }
        vdi_exp(VDI_F64, rows, rate, rate);
        double sum = vdi_sum(VDI_F64, rows, rate);
        total += sum;
        for (int64_t i = 0, at = 0; i < d; i++) {
            /* products of two short rows: dot products beat a packed product here */
            vdi_binary(VDI_F64, VDI_MUL, rows, k->G + i * VDI__PLDS_CHUNK, 1, rate, 1, k->LG);
            k->H[d * D + i] += vdi_sum(VDI_F64, rows, k->LG);
            for (int64_t c = 0; c <= i; c++, at++) {
                k->H[i * D + c] += vdi_dot(VDI_F64, rows, k->LG, k->G + c * VDI__PLDS_CHUNK) +
                                   vdi_dot(VDI_F64, rows, a->st + at * R + first, rate);
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

VDI__FN void vdi__plds_newton_job(int64_t j, int worker, void *user) {
    const vdi__plds_newton *u = (const vdi__plds_newton *)user;
    const vdi_plds_data *a = u->a;
    const vdi_plds_desc *desc = &u->p->desc;
    const int64_t d = a->d, D = d + 1;
    const bool fixed_c = (desc->freeze & VDI_LDS_C) != 0;
    const bool fixed_b = (desc->freeze & VDI_LDS_BIAS) != 0;
    vdi__plds_newton_work k = vdi__plds_newton_of(a, a->worker[worker].newton);
    if (!(a->seen[j] > 0)) return; /* a neuron that is never seen keeps its read-out */
    memcpy(k.w, u->p->C + j * d, (size_t)d * sizeof(double));
    k.w[d] = u->p->b[j];
    double value = vdi__plds_neuron(a, j, a->log_width, desc->ridge, k.w, &k);
    double square = vdi_dot(VDI_F64, (size_t)d, k.w, k.w);
    const double without = value + 0.5 * desc->ridge * square; /* the bound's own part */
    for (int step = 0; step < desc->m_steps && value > -HUGE_VAL; step++) {
        bool still = fixed_b || (a->total[j] == 0 && k.H[d * D + d] < 1e-3);
        double slope = 0;
        double length = 1;
        double *c = u->next->C + j * d;
        double *b = u->next->b + j;
        for (int64_t i = 0; i < D; i++) {
            bool fixed = i < d ? fixed_c : still;
            for (int64_t r = 0; fixed && r < D; r++)
                *(r < i ? k.H + i * D + r : k.H + r * D + i) = r == i;
            k.dx[i] = fixed ? 0 : k.g[i];
        }
        if (vdi_cholesky(VDI_F64, (size_t)D, k.H, (size_t)D, NULL) < 0) break;
        vdi_cholesky_solve(VDI_F64, (size_t)D, 1, k.H, (size_t)D, k.dx, 1);
        for (int64_t i = 0; i < D; i++)
            slope += k.dx[i] * k.g[i];
        if (!(slope > 1e-12 * (1 + fabs(value)))) break;
        double old[65], now = -HUGE_VAL;
        memcpy(old, k.w, (size_t)D * sizeof(double));
        for (int halving = 0; halving < 40; halving++, length *= 0.5) {
            for (int64_t i = 0; i < D; i++)
                k.w[i] = old[i] + length * k.dx[i];
            now = vdi__plds_neuron(a, j, a->log_width, desc->ridge, k.w, &k);
            if (now >= value + 1e-4 * length * slope) break;
            now = -HUGE_VAL;
        }
        if (!(now > -HUGE_VAL)) break;
        value = now;
        square = vdi_dot(VDI_F64, (size_t)d, k.w, k.w);
        /* a rise that is the penalty's alone is not taken, unless the next step mends it */
        if (value + 0.5 * desc->ridge * square < without) continue;
        if (!fixed_c) memcpy(c, k.w, (size_t)d * sizeof(double));
        if (!fixed_b) *b = k.w[d];
    }
}

/* C and b of every neuron */
VDI__FN void vdi__plds_update_readout(vdi_plds *p, vdi_plds *next, vdi_plds_data *a) {
    const int64_t d = a->d, n = a->n, T = a->T;
    vdi__plds_newton u;
    u.p = p;
    u.next = next;
    u.a = a;
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
    vdi_pool_run(a->pool, n, vdi__plds_newton_job, &u);
}

VDI__FN vdi_plds vdi__plds_next(vdi_plds *p) {
    vdi_plds next = *p;
    memcpy(p->update, p->A, p->param_count * sizeof(double));
    (void)vdi__plds_layout(&next, p->update);
    return next;
}

VDI__DEF vdi_status vdi_plds_em_step(vdi_plds *plds, vdi_plds_data *data, double *elbo,
                                     vdi_error *err) {
    vdi__plds_run r;
    vdi_status status =
        vdi__plds_posterior(plds, data, plds->desc.e_steps, &r, "vdi_plds_em_step", err);
    if (status < 0) return status;
    vdi_plds next = vdi__plds_next(plds);
    vdi_lds now = vdi__plds_chain(plds), then = vdi__plds_chain(&next);
    data->chain.m = data->q.m;
    data->chain.S = data->q.S;
    data->chain.O = data->q.O;
    vdi__lds_stats s = vdi__lds_stats_of(&now, &data->chain);
    vdi__lds_stats_dynamics(&data->chain, &s);
    status = vdi__lds_update_dynamics(&now, &then, &data->chain, &s, err);
    if (status < 0) return status;
    vdi__plds_update_readout(plds, &next, data);
    status = vdi__block_commit(plds->param_count, plds->update, plds->A, "vdi_plds_em_step", err);
    if (status == VDI_OK && elbo) *elbo = vdi_sum(VDI_F64, (size_t)data->trials, data->q.elbo);
    return status;
}

/* ---- the start ------------------------------------------------------------------------------- */

/* X = log(smoothed + 0.1 mean) - log(1.1 mean) into `spare`, centred by column; a bin without a
 * count near it counts as the mean. */
VDI__FN void vdi__plds_smooth_log(vdi_plds_data *a, const double *mean) {
    enum { REACH = 9 };
    const int64_t n = a->n, T = a->T;
    double kernel[REACH + 1];
    for (int k = 0; k <= REACH; k++)
        kernel[k] = exp(-0.5 * (k / 3.0) * (k / 3.0));
    memset(a->spare, 0, (size_t)(a->trials * T * n) * sizeof(double));
    for (int64_t i = 0; i < a->trials; i++) {
        const double *y = a->y + i * T * n, *o = a->offset ? a->offset + i * T * n : NULL;
        for (int64_t t = 0; t < a->lengths[i]; t++) {
            for (int64_t j = 0; j < n; j++) {
                double sum = 0, weight = 0;
                for (int64_t s = VDI__MAX(t - REACH, 0);
                     s <= VDI__MIN(t + REACH, a->lengths[i] - 1); s++) {
                    if (o && !(o[s * n + j] > VDI__PLDS_NEVER)) continue;
                    double k = kernel[s > t ? s - t : t - s];
                    sum += k * y[s * n + j];
                    weight += k;
                }
                a->spare[(i * T + t) * n + j] =
                    (weight > 0 ? sum / weight : mean[j]) + 0.1 * mean[j];
            }
        }
        vdi_log(VDI_F64, (size_t)(a->lengths[i] * n), a->spare + i * T * n, a->spare + i * T * n);
    }
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

VDI__DEF vdi_status vdi_plds_init(vdi_plds *plds, vdi_plds_data *data, uint64_t seed,
                                  vdi_error *err) {
    const int64_t d = data->d, n = data->n, rows = data->trials * data->T;
    const unsigned freeze = plds->desc.freeze;
    vdi_status status = vdi__plds_fits(plds, data, "vdi_plds_init", err);
    if (status < 0) return status;
    vdi_plds next = vdi__plds_next(plds);
    /* (n), (n,d), (trials,T,d) */
    double *mean = data->readout.b, *V = data->moment, *score = data->q.m;
    data->warm = false;
    for (int64_t j = 0; j < n; j++)
        mean[j] = VDI__MAX(data->seen[j] > 0 ? data->total[j] / data->seen[j] : 0, 1e-3);
    vdi__plds_smooth_log(data, mean);
    vdi__principal(rows, n, d, data->spare, seed, V, score);
    for (int64_t k = 0; k < d; k++) {
        double square = 0;
        for (int64_t r = 0; r < rows; r++)
            square += score[r * d + k] * score[r * d + k];
        for (int64_t j = 0; j < n && !(freeze & VDI_LDS_C); j++)
            next.C[j * d + k] = V[j * d + k] * sqrt(square / (double)data->rows);
    }
    for (int64_t j = 0; j < n && !(freeze & VDI_LDS_BIAS); j++) {
        double exposure = 0;
        for (int64_t i = 0; data->offset && i < data->trials; i++) {
            for (int64_t t = 0; t < data->lengths[i]; t++)
                exposure += exp(data->offset[(i * data->T + t) * n + j]);
        }
        if (!data->offset) exposure = data->seen[j];
        next.b[j] = log(mean[j]) - data->log_width;
        if (exposure > 0 && exposure < HUGE_VAL) next.b[j] += log(data->seen[j] / exposure);
        /* E exp(c'z) = exp(|c|^2 / 2) */
        for (int64_t k = 0; k < d; k++)
            next.b[j] -= 0.5 * next.C[j * d + k] * next.C[j * d + k];
    }
    for (int64_t i = 0; i < d * d; i++) {
        double one = i / d == i % d;
        if (!(freeze & VDI_LDS_A)) next.A[i] = 0.95 * one;
        if (!(freeze & VDI_LDS_Q)) next.Q[i] = (1 - 0.95 * 0.95) * one;
        if (!(freeze & VDI_LDS_Q0)) next.Q0[i] = one;
    }
    if (!(freeze & VDI_LDS_X0)) memset(next.x0, 0, (size_t)d * sizeof(double));
    return vdi__block_commit(plds->param_count, plds->update, plds->A, "vdi_plds_init", err);
}
#endif
