/* model/vilds/bound.h - from a batch to its evidence lower bound, as a graph on the model's tape
 *
 *     encoder -> q = N(m, J^{-1}) -> z = m + L^{-T} eps -> decoder -> E log p(y | z) - KL(q | p(z))
 *
 * The KL is in closed form; E log p(y | z) too where the read-out is linear and the kind of
 * observation has one, else it is a mean over samples of z. A log joint of the user's own takes the
 * place of p(y | z) p(z).
 */
#ifndef VDI_MODEL_VILDS_BOUND_H
#define VDI_MODEL_VILDS_BOUND_H
#include "joint.h"
#endif /* VDI_MODEL_VILDS_BOUND_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_BOUND_C)
#define VDI_MODEL_VILDS_BOUND_C

/* A posterior and its bound on the tape. */
typedef struct vdi__vilds_q {
    vdi_lds_vars prior;
    vdi_blocktri_var factor;
    vdi_var D, E;                 /* what was factorised */
    vdi_var mean, S, O, logdet;   /* S and O null where they are not wanted */
    vdi_var z;                    /* (S,B,T,d); null where it was not needed */
    vdi_var likelihood, kl, elbo; /* (S,B) or (1,B); (B); (B) */
} vdi__vilds_q;

VDI__FN vdi_var vdi__vparam(vdi_vilds *m, int64_t i) {
    return vdi_tape_param(m->tape, &m->params->item[i]);
}
VDI__FN vdi_var vdi__vparam64(vdi_vilds *m, int64_t i) {
    return vdi_var_cast(m->tape, vdi__vparam(m, i), VDI_F64);
}

/* ======== the prior =========================================================================== */

/* The stationary distribution for windows in the middle of a trial, as a constant: windows teach
 * the dynamics by their transitions alone. */
VDI__FN vdi_status vdi__vilds_stationary(vdi_vilds *m, const vdi__vilds_dynamics *at,
                                         vdi_lds_vars *p) {
    const int64_t d = m->desc.d, dd = d * d;
    vdi_tape *t = m->tape;
    double *mid = (double *)vdi_arena_alloc(&m->arena, (size_t)(8 * dd + 1) * sizeof *mid);
    if (!mid) {
        (void)vdi_tape_fail(t, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
        return VDI_ERR_MEMORY;
    }
    double *q = mid + dd + 1, *Q = q + dd, *P = Q + dd;
    for (int64_t i = 0; i < dd; i++)
        q[i] = vdi__vilds_get(&m->params->item[at->Q], i);
    vdi__precision_covariance(d, q, Q, P);
    vdi__vm_stationary(d, (const double *)vdi_tape_value(t, p->A).data, Q, P, P + dd);
    const vdi_status status = vdi_cholesky(VDI_F64, (size_t)d, P, (size_t)d, NULL);
    if (status < 0) {
        (void)vdi_tape_fail(t, status, "vdi_vilds",
                            "the stationary covariance is not positive definite");
        return status;
    }
    vdi_cholesky_inverse(VDI_F64, (size_t)d, P, (size_t)d, mid, (size_t)d);
    mid[dd] = -vdi_cholesky_logdet(VDI_F64, (size_t)d, P, (size_t)d);
    p->mid = mid;
    return VDI_OK;
}

VDI__FN vdi_status vdi__vilds_prior(vdi_vilds *m, const vdi__vilds_batch *b,
                                    const vdi__vilds_dynamics *at, vdi_lds_vars *p) {
    vdi_tape *t = m->tape;
    bool middle = false;
    memset(p, 0, sizeof *p);
    p->A = vdi__vparam64(m, at->A);
    (void)vdi_var_precision_root(t, vdi__vparam64(m, at->Q), &p->Qi, &p->ld);
    (void)vdi_var_precision_root(t, vdi__vparam64(m, at->Q0), &p->Q0i, &p->ld0);
    p->x0 = vdi__vparam64(m, at->x0);
    p->c = vdi_var_none();
    if (m->desc.inputs) {
        p->c = vdi_var_affine(t, vdi_tape_constant(t, b->u), vdi__vparam64(m, at->B),
                              vdi_var_none(), VDI_ACT_NONE, 0);
    }
    for (int64_t i = 0; i < b->info.trials; i++)
        middle = middle || !b->info.start[i];
    if (middle && vdi_tape_status(t, NULL) >= 0) return vdi__vilds_stationary(m, at, p);
    return vdi_tape_status(t, NULL);
}

/* ======== the encoder ========================================================================= */

/* Its first layer over the bins around each, as far as the window is open. */
VDI__FN vdi_var vdi__vilds_look(vdi_vilds *m, const vdi__vilds_batch *b, vdi_act act) {
    const vdi_vilds_desc *d = &m->desc;
    const int64_t width = 2 * d->reach + 1;
    const double gate = m->run.gate;
    vdi_tape *t = m->tape;
    vdi_var x = vdi_tape_constant(t, b->x);
    vdi_var w = vdi__vparam(m, m->at.window), bias = vdi__vparam(m, m->at.bias);
    if (d->reach == 0 || gate <= 0) {
        return vdi_var_affine(t, x, vdi_var_index(t, w, 0, d->reach), bias, act, 0);
    }
    if (gate < 1) {
        void *g = vdi_arena_alloc(&m->arena, (size_t)width * sizeof(double));
        if (!g) return vdi_tape_fail(t, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
        for (int64_t i = 0; i < width; i++)
            vdi_dtype_store(d->dtype, g, i, i == d->reach ? 1 : gate);
        w = vdi_var_mul(t, w, vdi_tape_constant(t, vdi_tensor_3d(g, d->dtype, width, 1, 1)));
    }
    return vdi_var_conv1d(t, x, w, bias, d->reach, act, 0);
}

/* What missing values add to it. */
VDI__FN vdi_var vdi__vilds_missing(vdi_vilds *m, const vdi__vilds_batch *b) {
    vdi_tape *t = m->tape;
    vdi_var k = vdi_var_affine(t, vdi_tape_constant(t, b->indicator), vdi__vparam(m, m->at.mask),
                               vdi_var_none(), VDI_ACT_NONE, 0);
    if (b->by_trial && b->dense) return vdi_var_unsqueeze(t, k, 1);
    if (!b->by_trial) return k;
    vdi_tensor row_trial = vdi_tensor_1d(b->row_trial, VDI_I64, b->x.shape[1]);
    return vdi_var_unsqueeze(t, vdi_var_gather(t, k, row_trial), 0);
}

/* The encoder's output, (B,T,outputs) float64. */
VDI__FN vdi_var vdi__vilds_encode(vdi_vilds *m, const vdi__vilds_batch *b) {
    vdi_tape *t = m->tape;
    const vdi_vilds_desc *d = &m->desc;
    const vdi__family *family = vdi__family_of(d->posterior);
    const vdi_act act = d->encoder_layers ? VDI_ACT_TANH : VDI_ACT_NONE;
    const bool indicator = vdi_tensor_ok(b->indicator);
    int64_t shape[3], flat[2];
    vdi_var h = vdi__vilds_look(m, b, indicator ? VDI_ACT_NONE : act);
    if (indicator) {
        h = vdi_var_add(t, h, vdi__vilds_missing(m, b));
        if (act == VDI_ACT_TANH) h = vdi_var_tanh(t, h);
    }
    if (m->at.net >= 0) h = vdi_mlp_apply(t, &m->net_desc, &m->params->item[m->at.net], h);
    h = vdi_var_cast(t, h, VDI_F64);
    if (!b->dense) {
        shape[0] = b->info.trials;
        shape[1] = b->info.T;
        flat[0] = b->x.shape[1];
        flat[1] = shape[2] = family->outputs(d->d);
        h = vdi_var_gather(t, vdi_var_reshape(t, h, 2, flat),
                           vdi_tensor_1d(b->bin_row, VDI_I64, shape[0] * shape[1]));
        h = vdi_var_reshape(t, h, 3, shape);
    }
    if (family->silent && vdi_tensor_ok(b->silent))
        h = vdi_var_mul(t, h, vdi_tape_constant(t, b->silent));
    return h;
}

/* ======== the posterior ======================================================================= */

/* From the encoder's output, or from natural parameters of a family that has them, to q: everything
 * but samples. */
VDI__FN void vdi__vilds_posterior(vdi_vilds *m, const vdi__vilds_batch *b, vdi_var out,
                                  bool natural, bool moments, vdi__vilds_q *q) {
    vdi_tape *t = m->tape;
    vdi_lds_vars own;
    memset(q, 0, sizeof *q);
    if (vdi__vilds_prior(m, b, &m->at.prior, &q->prior) < 0) return;
    if (m->desc.untied && vdi__vilds_prior(m, b, &m->at.own, &own) < 0) return;
    const vdi_lds_vars *p = m->desc.untied ? &own : &q->prior;
    vdi__q_blocks blocks = natural ? vdi__product_of(t, out, p, &b->info, true)
                                   : vdi__family_of(m->desc.posterior)->build(t, out, p, &b->info);
    q->D = blocks.D;
    q->E = blocks.E;
    q->factor = vdi_var_blocktri_factor(t, blocks.D, blocks.E, b->dense ? NULL : b->info.length);
    q->logdet = vdi_var_blocktri_logdet(t, q->factor);
    q->mean = blocks.is_mean ? blocks.k : vdi_var_blocktri_solve(t, q->factor, blocks.k);
    if (moments) (void)vdi_var_blocktri_marginals(t, q->factor, &q->S, &q->O);
}

/* The same from blocks of J and a mean as they are. */
VDI__FN void vdi__vilds_posterior_of(vdi_vilds *m, const vdi__vilds_batch *b, vdi_tensor D,
                                     vdi_tensor E, vdi_tensor mean, vdi__vilds_q *q) {
    vdi_tape *t = m->tape;
    memset(q, 0, sizeof *q);
    if (vdi__vilds_prior(m, b, &m->at.prior, &q->prior) < 0) return;
    q->D = vdi_tape_constant(t, D);
    q->E = b->info.T > 1 ? vdi_tape_constant(t, E) : vdi_var_none();
    q->factor = vdi_var_blocktri_factor(t, q->D, q->E, b->dense ? NULL : b->info.length);
    q->logdet = vdi_var_blocktri_logdet(t, q->factor);
    q->mean = vdi_tape_constant(t, mean);
    (void)vdi_var_blocktri_marginals(t, q->factor, &q->S, &q->O);
}

/* eps (S,B,T,d): trial by trial from streams of their own, 0 beyond a trial's end. */
VDI__FN vdi_tensor vdi__vilds_eps(vdi_vilds *m, const vdi__vilds_batch *b, int64_t samples,
                                  uint64_t seed, int what, int64_t a) {
    const int64_t d = m->desc.d, T = b->info.T, B = b->info.trials;
    const size_t count = vdi_mul_size((size_t)samples, (size_t)(B * T * d));
    const size_t bytes = vdi_mul_size(count, sizeof(double));
    double *eps = (double *)(b->dense ? vdi_arena_alloc(&m->arena, bytes)
                                      : vdi_arena_calloc(&m->arena, bytes));
    if (!eps) return vdi__no_tensor();
    for (int64_t i = 0; i < B; i++) {
        vdi_rng rng = vdi__vilds_rng(seed, what, a, b->info.trial[i]);
        for (int64_t s = 0; s < samples; s++)
            vdi_rng_fill_normal(&rng, VDI_F64, b->info.length[i] * d, eps + (s * B + i) * T * d);
    }
    return vdi_tensor_4d(eps, VDI_F64, samples, B, T, d);
}

VDI__FN vdi_var vdi__vilds_sample(vdi_vilds *m, const vdi__vilds_q *q, vdi_tensor eps) {
    vdi_tape *t = m->tape;
    return vdi_var_add(t, q->mean,
                       vdi_var_blocktri_sample(t, q->factor, vdi_tape_constant(t, eps)));
}

/* ======== the decoder ========================================================================= */

/* z (S,B,T,d) or (B,T,d), or any (..,k) over bins, to rows (S rows, k) of the networks' dtype. */
VDI__FN vdi_var vdi__vilds_rows(vdi_vilds *m, const vdi__vilds_batch *b, vdi_var z, int64_t samples,
                                int64_t k) {
    vdi_tape *t = m->tape;
    const int64_t bins = b->info.trials * b->info.T;
    int64_t shape[2], at = 0;
    shape[0] = samples * bins;
    shape[1] = k;
    z = vdi_var_reshape(t, z, 2, shape);
    if (b->dense) return vdi_var_cast(t, z, m->desc.dtype);
    int64_t *index =
        (int64_t *)vdi_arena_alloc(&m->arena, (size_t)(samples * b->rows.rows) * sizeof *index);
    if (!index) return vdi_tape_fail(t, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    for (int64_t i = 0; i < samples * b->info.trials; i++) {
        for (int64_t r = 0; r < b->info.length[i % b->info.trials]; r++)
            index[at++] = i * b->info.T + r;
    }
    z = vdi_var_gather(t, z, vdi_tensor_1d(index, VDI_I64, at));
    return vdi_var_cast(t, z, m->desc.dtype);
}

/* The decoder's output at rows z (rows,d): (rows,n). */
VDI__FN vdi_var vdi__vilds_eta(vdi_vilds *m, vdi_var z) {
    vdi_tape *t = m->tape;
    vdi_var eta = vdi_mlp_apply(t, &m->decoder_desc, &m->params->item[m->at.decoder], z);
    if (m->at.skip < 0) return eta;
    return vdi_var_add(
        t, eta, vdi_var_affine(t, z, vdi__vparam(m, m->at.skip), vdi_var_none(), VDI_ACT_NONE, 0));
}

/* The same for samples z (S,B,T,d). */
VDI__FN vdi_var vdi__vilds_decode(vdi_vilds *m, const vdi__vilds_batch *b, vdi_var z,
                                  int64_t samples) {
    return vdi__vilds_eta(m, vdi__vilds_rows(m, b, z, samples, m->desc.d));
}

/* g(z) of samples (S,B,T,d), float64 as they are. */
VDI__FN vdi_var vdi__vilds_drift(vdi_vilds *m, vdi_var z, int64_t samples,
                                 const vdi_trial_info *info) {
    const int64_t d = m->desc.d;
    int64_t flat[2], full[4];
    full[0] = samples;
    full[1] = info->trials;
    full[2] = info->T;
    full[3] = d;
    flat[0] = samples * info->trials * info->T;
    flat[1] = d;
    vdi_var x = vdi_var_cast(m->tape, vdi_var_reshape(m->tape, z, 2, flat), m->desc.dtype);
    x = vdi_mlp_apply(m->tape, &m->transition_desc, &m->params->item[m->at.transition], x);
    return vdi_var_reshape(m->tape, vdi_var_cast(m->tape, x, VDI_F64), 4, full);
}

/* ======== the likelihood ====================================================================== */

VDI__FN vdi__obs_graph vdi__vilds_obs_graph(vdi_vilds *m, const vdi__vilds_batch *b,
                                            int64_t samples) {
    vdi__obs_graph g;
    g.tape = m->tape;
    g.desc = &m->desc;
    g.arena = &m->arena;
    g.parameter = m->at.obs >= 0 ? vdi__vparam(m, m->at.obs) : vdi_var_none();
    g.rows = b->rows;
    g.rows.samples = samples;
    g.y = b->y;
    g.mask = b->mask;
    return g;
}

/* eta (S rows,n) plus the log exposure of each row. */
VDI__FN vdi_var vdi__vilds_exposed(vdi_vilds *m, const vdi__vilds_batch *b, vdi_var eta,
                                   int64_t samples) {
    int64_t full[3], flat[2];
    if (!vdi_tensor_ok(b->offset)) return eta;
    full[0] = samples;
    full[1] = b->rows.rows;
    full[2] = b->rows.n;
    flat[0] = samples * b->rows.rows;
    flat[1] = b->rows.n;
    eta = vdi_var_add(m->tape, vdi_var_reshape(m->tape, eta, 3, full),
                      vdi_tape_constant(m->tape, b->offset));
    return vdi_var_reshape(m->tape, eta, 2, flat);
}

/* log p(y | z) for each sample and trial from the decoder's output at rows: (S,B), without log y!
 * where that is kept apart. */
VDI__FN vdi_var vdi__vilds_likelihood(vdi_vilds *m, const vdi__vilds_batch *b, vdi_var eta,
                                      int64_t samples) {
    const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
    vdi_tape *t = m->tape;
    const vdi__obs_graph g = vdi__vilds_obs_graph(m, b, samples);
    if (obs->linked && m->desc.link == VDI_VILDS_SOFTPLUS)
        eta = vdi_var_log(t, vdi_var_add_scalar(t, vdi_var_softplus(t, eta), 1e-6));
    return obs->log_likelihood(&g, vdi__vilds_exposed(m, b, eta, samples));
}

/* E_q log p(y | z) under a linear read-out C, b, in closed form: eta has the mean C'm + b + offset
 * and the variance c'S c. */
VDI__FN vdi_var vdi__vilds_expected(vdi_vilds *m, const vdi__vilds_batch *b, vdi_var mean,
                                    vdi_var S) {
    const int64_t d = m->desc.d, n = m->desc.n;
    vdi_tape *t = m->tape;
    int64_t shape[3];
    vdi_var eta = vdi__vilds_exposed(m, b, vdi__vilds_decode(m, b, mean, 1), 1);
    vdi_var C = vdi__vparam(m, m->at.decoder);
    shape[0] = d;
    shape[1] = 1;
    shape[2] = n;
    vdi_var left = vdi_var_reshape(t, C, 3, shape);
    shape[0] = 1;
    shape[1] = d;
    vdi_var right = vdi_var_reshape(t, C, 3, shape);
    shape[0] = d * d;
    shape[1] = n;
    vdi_var CC = vdi_var_reshape(t, vdi_var_mul(t, left, right), 2, shape);
    vdi_var variance =
        vdi_var_affine(t, vdi__vilds_rows(m, b, S, 1, d * d), CC, vdi_var_none(), VDI_ACT_NONE, 0);
    const vdi__obs_graph g = vdi__vilds_obs_graph(m, b, 1);
    return vdi__vilds_obs(&m->desc)->expected(&g, eta, variance);
}

/* log p(y,z) of samples z (S,B,T,d): (S,B), without log y! where that is kept apart. `checked`: a
 * user's log joint that is not finite is an error. */
VDI__FN vdi_var vdi__vilds_log_joint(vdi_vilds *m, const vdi__vilds_batch *b,
                                     const vdi_lds_vars *prior, vdi_var z, int64_t samples,
                                     bool checked) {
    vdi_tape *t = m->tape;
    if (m->desc.log_joint) {
        return checked ? vdi__vilds_joint(m, b, z, samples) : vdi__joint_call(m, b, z, samples);
    }
    vdi_lds_vars p = *prior;
    vdi_var r = vdi__vilds_likelihood(m, b, vdi__vilds_decode(m, b, z, samples), samples);
    if (m->at.transition >= 0) p.g = vdi__vilds_drift(m, z, samples, &b->info);
    return vdi_var_add(t, r, vdi_var_lds_log_prob(t, &p, z, &b->info));
}

/* ======== the bound =========================================================================== */

/* KL(q | prior): (B). In closed form from the moments, or without them from the samples: the
 * entropy of q is exact in any case. */
VDI__FN void vdi__vilds_kl(vdi_vilds *m, const vdi__vilds_batch *b, vdi__vilds_q *q) {
    vdi_tape *t = m->tape;
    const int64_t d = m->desc.d;
    const vdi_trial_info *info = &b->info;
    const vdi_var none = vdi_var_none();
    vdi_var energy;
    if (vdi_var_ok(q->S)) {
        energy = vdi_var_lds_energy(t, &q->prior, q->mean, q->S, q->O, info);
    } else {
        energy = vdi_var_lds_energy(t, &q->prior, q->z, none, none, info);
        energy = vdi_var_mean_axis(t, energy, 0, false);
    }
    vdi_var r = vdi_var_sub(t, vdi_var_add(t, energy, q->logdet),
                            vdi__lds_log_dets(t, &q->prior, info, d, false));
    q->kl = vdi_var_add(t, vdi_var_mul_scalar(t, r, 0.5),
                        vdi__per_trial(t, info, vdi__per_trial_length, -0.5 * (double)d));
}

/* What a nonlinear transition adds to it: the linear part stays in closed form, the samples give
 * what g adds to its energy, which is nothing where g = 0. */
VDI__FN void vdi__vilds_bend(vdi_vilds *m, const vdi__vilds_batch *b, int64_t samples,
                             vdi__vilds_q *q) {
    vdi_tape *t = m->tape;
    const vdi_var none = vdi_var_none();
    const vdi_lds_vars straight = q->prior;
    q->prior.g = vdi__vilds_drift(m, q->z, samples, &b->info);
    vdi_var bent = vdi_var_lds_energy(t, &q->prior, q->z, none, none, &b->info);
    bent = vdi_var_sub(t, bent, vdi_var_lds_energy(t, &straight, q->z, none, none, &b->info));
    bent = vdi_var_mul_scalar(t, vdi_var_mean_axis(t, bent, 0, false), 0.5);
    q->kl = vdi_var_add(t, q->kl, bent);
}

/* Half of E eps'eps less its mean over the samples, for each trial: added to a bound of samples
 * with the exact entropy of q, it makes that of the samples themselves out of it. Where q is near
 * the posterior, log p(y,z) - log q(z) is nearly the same for all z, and log p(y,z) alone is
 * not. */
VDI__FN vdi_var vdi__vilds_same_samples(vdi_vilds *m, const vdi__vilds_batch *b, vdi_tensor eps) {
    const int64_t B = b->info.trials, T = b->info.T, d = m->desc.d, S = eps.shape[0];
    double *sum = (double *)vdi_arena_alloc(&m->arena, (size_t)B * sizeof *sum);
    if (!sum) return vdi_tape_fail(m->tape, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    for (int64_t i = 0; i < B; i++) {
        sum[i] = -0.5 * (double)(b->info.length[i] * d);
        for (int64_t s = 0; s < S; s++) {
            const double *e = (const double *)eps.data + (s * B + i) * T * d;
            sum[i] += 0.5 / (double)S * vdi__vm_dot(b->info.length[i] * d, e, e);
        }
    }
    return vdi_tape_constant(m->tape, vdi_tensor_1d(sum, VDI_F64, B));
}

/* The bound itself, from q. `eps` may be the null tensor where the likelihood has a closed form. */
VDI__FN void vdi__vilds_bound(vdi_vilds *m, vdi__vilds_batch *b, vdi_tensor eps, vdi__vilds_q *q) {
    vdi_tape *t = m->tape;
    const double d = (double)m->desc.d;
    const bool sampled = vdi_tensor_ok(eps);
    const int64_t samples = sampled ? eps.shape[0] : 1;
    const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
    if (sampled) q->z = vdi__vilds_sample(m, q, eps);
    if (!obs) {
        q->likelihood = vdi__vilds_joint(m, b, q->z, samples);
        /* less the entropy */
        q->kl = vdi_var_add(
            t, vdi_var_mul_scalar(t, q->logdet, 0.5),
            vdi__per_trial(t, &b->info, vdi__per_trial_length, -0.5 * d * (1 + VDI_LOG_2PI)));
        q->kl = vdi_var_sub(t, q->kl, vdi__vilds_same_samples(m, b, eps));
    } else {
        vdi__vilds_kl(m, b, q);
        if (m->at.transition >= 0) vdi__vilds_bend(m, b, samples, q);
        q->likelihood =
            sampled ? vdi__vilds_likelihood(m, b, vdi__vilds_decode(m, b, q->z, samples), samples)
                    : vdi__vilds_expected(m, b, q->mean, q->S);
        if (obs->apart) {
            vdi_tensor constant = vdi_tensor_1d(b->constant, VDI_F64, b->info.trials);
            q->likelihood = vdi_var_sub(t, q->likelihood, vdi_tape_constant(t, constant));
        }
    }
    q->elbo = vdi_var_sub(t, vdi_var_mean_axis(t, q->likelihood, 0, false), q->kl);
}

/* The ELBO (B) of a batch, amortised; `sampled`: the prior's share of it from the samples too, if
 * there are any. */
VDI__FN void vdi__vilds_elbo(vdi_vilds *m, vdi__vilds_batch *b, vdi_tensor eps, bool sampled,
                             vdi__vilds_q *q) {
    const bool moments = !m->desc.log_joint && !(sampled && vdi_tensor_ok(eps));
    vdi__vilds_posterior(m, b, vdi__vilds_encode(m, b), false, moments, q);
    vdi__vilds_bound(m, b, eps, q);
}

/* Mean ELBO per bin of all trials, without gradients; defined in infer.h. */
VDI__FN vdi_status vdi__vilds_elbo_all(vdi_vilds *m, vdi_vilds_data *data, int64_t samples,
                                       uint64_t seed, double *per_bin, vdi_error *err);
#endif
