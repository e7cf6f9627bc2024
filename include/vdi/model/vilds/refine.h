/* model/vilds/refine.h - refinement: steps from the encoder's posterior of each trial to the one
 * with the highest bound
 *
 * A product posterior has a Gaussian factor (h_t, Lambda_t) a bin, and is refined by
 * natural-gradient steps on them, with expectations under N(m_t, S_t) by Gauss-Hermite quadrature
 * (Khan and Lin 2017, with Gauss-Newton curvature):
 *
 *     G_t = E sum_n (dlog p / d eta_n) (d eta_n / dz)
 *     H_t = E sum_n w_n (d eta_n / dz)(d eta_n / dz)',   w_n the Fisher information of eta_n
 *
 *     Lambda_t <- (1 - rho) Lambda_t + rho H_t
 *     h_t      <- (1 - rho) h_t      + rho (G_t + H_t m_t)
 *
 * A step of a trial that lowers its bound is undone and its rho shortened. Other families of q, a
 * nonlinear transition and a user's log joint are refined by natural.h.
 */
#ifndef VDI_MODEL_VILDS_REFINE_H
#define VDI_MODEL_VILDS_REFINE_H
#include "decoder.h"
#include "natural.h"
#endif /* VDI_MODEL_VILDS_REFINE_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_REFINE_C)
#define VDI_MODEL_VILDS_REFINE_C

/* ======== natural-gradient steps ============================================================== */

/* Factors of a batch, and what goes with them; everything float64. */
typedef struct vdi__vilds_factors {
    double *natural;  /* (B,T,d + d d): h and Lambda */
    double *mean, *S; /* (B,T,d), (B,T,d,d) */
    double *G, *H;    /* (B,T,d), (B,T,d,d) */
    double *elbo;     /* (B) */
} vdi__vilds_factors;

/* What a refinement works with. */
typedef struct vdi__vilds_refiner {
    vdi_vilds *m;
    vdi__vilds_batch *b;
    const vdi__obs_ops *obs;
    vdi__obs_numbers numbers;
    vdi__vilds_rule rule;
    vdi__decoder decoder;
    double *chol; /* (d,d) */
    double *rho;  /* (B) */
    vdi__vilds_factors now, next;
} vdi__vilds_refiner;

VDI__FN bool vdi__vilds_factors_make(vdi_arena *a, size_t trials, size_t bins, size_t d,
                                     vdi__vilds_factors *f) {
    const size_t real = sizeof(double), dd = d * d;
    f->natural = (double *)vdi_arena_calloc(a, bins * (d + dd) * real);
    f->mean = (double *)vdi_arena_calloc(a, bins * d * real);
    f->S = (double *)vdi_arena_calloc(a, bins * dd * real);
    f->G = (double *)vdi_arena_calloc(a, bins * d * real);
    f->H = (double *)vdi_arena_calloc(a, bins * dd * real);
    f->elbo = (double *)vdi_arena_calloc(a, trials * real);
    return f->natural && f->mean && f->S && f->G && f->H && f->elbo;
}

VDI__FN vdi_status vdi__vilds_refiner_make(vdi_vilds *m, vdi__vilds_batch *b, int64_t nodes,
                                           vdi__vilds_refiner *r, vdi_error *err) {
    const size_t d = (size_t)m->desc.d, trials = (size_t)b->info.trials;
    const size_t bins = trials * (size_t)b->info.T;
    const int64_t most = d <= 2 ? 5 : d == 3 ? 4 : 3;
    memset(r, 0, sizeof *r);
    r->m = m;
    r->b = b;
    r->obs = vdi__vilds_obs(&m->desc);
    r->chol = (double *)vdi_arena_alloc(&m->arena, d * d * sizeof *r->chol);
    r->rho = (double *)vdi_arena_alloc(&m->arena, trials * sizeof *r->rho);
    if (!r->chol || !r->rho || !vdi__vilds_factors_make(&m->arena, trials, bins, d, &r->now) ||
        !vdi__vilds_factors_make(&m->arena, trials, bins, d, &r->next))
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    vdi_status status = vdi__vilds_obs_numbers(m, &r->numbers, err);
    if (status >= 0) status = vdi__vilds_rule_make(m, VDI__MIN(nodes, most), &r->rule, err);
    if (status < 0) return status;
    return vdi__decoder_make(m, VDI__MAX(1024, r->rule.count), true, &r->decoder, err);
}

/* Row `row` of the batch, whose nodes are rows `at` .. of the decoder: adds to G (d) and H (d,d),
 * of which the lower triangle; returns E log p, without log y! where that is kept apart. */
VDI__FN double vdi__vilds_expect_row(const vdi__vilds_refiner *r, int64_t row, int64_t at,
                                     int64_t points, double *G, double *H, double sum) {
    const vdi_vilds *m = r->m;
    const vdi__vilds_batch *b = r->b;
    const int64_t d = m->desc.d, n = m->desc.n, Q = r->rule.count;
    const vdi_dtype dtype = m->desc.dtype;
    for (int64_t j = 0; j < n; j++) {
        const int64_t cell = row * n + j;
        const double y = vdi_dtype_load(dtype, b->y.data, cell);
        double shift = 0, tangent[64];
        if (vdi_tensor_ok(b->offset)) shift = vdi_dtype_load(dtype, b->offset.data, cell);
        if (vdi_tensor_ok(b->mask) && vdi_dtype_load(dtype, b->mask.data, cell) == 0) continue;
        for (int64_t q = 0; q < Q; q++) {
            const int64_t place = (at + q) * n + j;
            const double eta = vdi_dtype_load(dtype, r->decoder.eta, place), w = r->rule.w[q];
            const vdi__obs_term v = r->obs->term(&r->numbers, j, y, eta, shift);
            sum += w * v.log_p;
            for (int64_t k = 0; k < d; k++)
                tangent[k] = vdi_dtype_load(dtype, r->decoder.j_eta, k * points * n + place);
            for (int64_t k = 0; k < d; k++) {
                G[k] += w * v.score * tangent[k];
                for (int64_t l = 0; l <= k; l++)
                    H[k * d + l] += w * v.information * tangent[k] * tangent[l];
            }
        }
    }
    return sum;
}

/* Bins from .. from + count of trial i: their G, H and E log p, added to *sum. False if a
 * covariance is not positive definite. */
VDI__FN bool vdi__vilds_expect(vdi__vilds_refiner *r, vdi__vilds_factors *f, int64_t i,
                               int64_t from, int64_t count, double *sum) {
    const int64_t d = r->m->desc.d, dd = d * d, Q = r->rule.count;
    const int64_t first = i * r->b->info.T + from, row = r->b->rows.first[i] + from;
    bool placed = true;
    for (int64_t t = 0; t < count; t++) {
        placed = vdi__vilds_rule_place(r->m, &r->rule, f->mean + (first + t) * d,
                                       f->S + (first + t) * dd, r->chol, r->decoder.z, t * Q) &&
                 placed;
    }
    if (!placed) return false;
    vdi__decoder_run(r->m, &r->decoder, count * Q, -1);
    for (int64_t t = 0; t < count; t++) {
        double *H = f->H + (first + t) * dd;
        *sum = vdi__vilds_expect_row(r, row + t, t * Q, count * Q, f->G + (first + t) * d, H, *sum);
        for (int64_t k = 0; k < d; k++) {
            for (int64_t l = 0; l < k; l++)
                H[l * d + k] = H[k * d + l];
        }
    }
    return true;
}

/* Moments, bound and the expectations G, H at f->natural. A trial whose bound cannot be had gets
 * -inf. */
VDI__FN vdi_status vdi__vilds_factors_evaluate(vdi__vilds_refiner *r, vdi__vilds_factors *f,
                                               vdi_error *err) {
    vdi_vilds *m = r->m;
    const int64_t d = m->desc.d, dd = d * d, B = r->b->info.trials, T = r->b->info.T;
    const int64_t strip = VDI__MAX(1, r->decoder.room / r->rule.count);
    const size_t bins = (size_t)(B * T), real = sizeof(double);
    vdi__vilds_q q;
    vdi_tape_reset(m->tape);
    const bool old = vdi_tape_set_no_grad(m->tape, true);
    vdi_var natural = vdi_tape_constant(m->tape, vdi_tensor_3d(f->natural, VDI_F64, B, T, d + dd));
    vdi__vilds_posterior(m, r->b, natural, true, true, &q);
    vdi__vilds_kl(m, r->b, &q);
    (void)vdi_tape_set_no_grad(m->tape, old);
    const vdi_status status = vdi_tape_status(m->tape, err);
    if (status < 0) return status;
    memcpy(f->mean, vdi_tape_value(m->tape, q.mean).data, bins * (size_t)d * real);
    memcpy(f->S, vdi_tape_value(m->tape, q.S).data, bins * (size_t)dd * real);
    memset(f->G, 0, bins * (size_t)d * real);
    memset(f->H, 0, bins * (size_t)dd * real);
    const double *kl = (const double *)vdi_tape_value(m->tape, q.kl).data;
    for (int64_t i = 0; i < B; i++) {
        const int64_t length = r->b->info.length[i];
        double sum = -kl[i] - (r->obs->apart ? r->b->constant[i] : 0);
        for (int64_t from = 0; from < length; from += strip) {
            if (vdi__vilds_expect(r, f, i, from, VDI__MIN(strip, length - from), &sum)) continue;
            sum = -HUGE_VAL;
            break;
        }
        f->elbo[i] = sum == sum ? sum : -HUGE_VAL;
    }
    return VDI_OK;
}

/* One step of every trial from `now` to `next`. */
VDI__FN void vdi__vilds_factors_step(vdi__vilds_refiner *r) {
    const int64_t d = r->m->desc.d, dd = d * d, T = r->b->info.T;
    const vdi__vilds_factors *now = &r->now;
    for (int64_t i = 0; i < r->b->info.trials * T; i++) {
        const double rho = r->rho[i / T], *from = now->natural + i * (d + dd);
        const double *G = now->G + i * d, *H = now->H + i * dd, *mean = now->mean + i * d;
        double *to = r->next.natural + i * (d + dd);
        for (int64_t k = 0; k < d; k++)
            to[k] = (1 - rho) * from[k] + rho * (G[k] + vdi__vm_dot(d, H + k * d, mean));
        for (int64_t k = 0; k < dd; k++)
            to[d + k] = (1 - rho) * from[d + k] + rho * H[k];
    }
}

/* Trial i goes on from `next`. */
VDI__FN void vdi__vilds_factors_take(vdi__vilds_refiner *r, int64_t i) {
    const size_t d = (size_t)r->m->desc.d, dd = d * d, T = (size_t)r->b->info.T;
    const size_t at = (size_t)i * T, real = sizeof(double);
    vdi__vilds_factors *now = &r->now, *next = &r->next;
    memcpy(now->natural + at * (d + dd), next->natural + at * (d + dd), T * (d + dd) * real);
    memcpy(now->mean + at * d, next->mean + at * d, T * d * real);
    memcpy(now->G + at * d, next->G + at * d, T * d * real);
    memcpy(now->H + at * dd, next->H + at * dd, T * dd * real);
    now->elbo[i] = next->elbo[i];
}

/* From the encoder's output `out` (B,T,d + d d; h and R) to natural parameters, in the arena. */
VDI__FN vdi_status vdi__vilds_refine(vdi_vilds *m, vdi__vilds_batch *b, const double *out,
                                     int64_t steps, int64_t nodes, double **natural,
                                     vdi_error *err) {
    const int64_t d = m->desc.d, dd = d * d, B = b->info.trials;
    vdi__vilds_refiner r;
    vdi_status status = vdi__vilds_refiner_make(m, b, nodes, &r, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < B * b->info.T; i++) {
        const double *o = out + i * (d + dd);
        double *to = r.now.natural + i * (d + dd);
        memcpy(to, o, (size_t)d * sizeof *o);
        vdi__vm_mul(d, 1, o + d, false, o + d, true, to + d);
    }
    for (int64_t i = 0; i < B; i++)
        r.rho[i] = 0.5;
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    status = vdi__vilds_factors_evaluate(&r, &r.now, err);
    vdi_arena_rewind(&m->arena, mark);
    for (int64_t step = 0; step < steps && status >= 0; step++) {
        vdi__vilds_factors_step(&r);
        status = vdi__vilds_factors_evaluate(&r, &r.next, err);
        vdi_arena_rewind(&m->arena, mark);
        for (int64_t i = 0; i < B && status >= 0; i++) {
            const bool better = r.next.elbo[i] >= r.now.elbo[i] - 1e-6;
            r.rho[i] = better ? VDI__MIN(1.0, r.rho[i] * 1.3) : r.rho[i] * 0.4;
            if (better) vdi__vilds_factors_take(&r, i);
        }
    }
    *natural = r.now.natural;
    return status;
}
#endif
