/* model/vilds/variational_em.h - learning a model without an encoder: each trial has its own best
 * Gaussian posterior
 *
 * Do this, for a log joint of your own:
 *     vdi_vilds_create(&desc, &model, &err);
 *     vdi_vilds_data_create(model, &dd, &data, &err);
 *     vdi_vilds_fit_natural(model, data, NULL, NULL, NULL, &err);
 *     vdi_vilds_infer(model, data, NULL, &result, &err);  the posteriors that training ended with
 *     vdi_vilds_score(model, fresh, NULL, &elbo, &err);   other trials: from rest
 *
 * Variational EM: Laplace's posterior of each trial first, and then by turns a natural-gradient
 * step of the posteriors (natural.h) and a step of Adam on the parameters, along the gradient of
 * the bound at samples of the posteriors. No encoder is trained; for a log joint with few
 * parameters this is the way to learn them, and the bound is closer to log p(y) than a network's.
 * The ready parts learn in this way too.
 * The bound's best parameters are not those of log p(y): where a posterior is far from Gaussian,
 * as with heavy-tailed likelihoods, they are a standard error or two apart. With `particles` a step
 * goes along the gradient of log p(y), by Fisher's identity the mean of that of the log joint over
 * paths of particles (particle.h) drawn by their weights. Do this after learning by the bound:
 *     how.particles = 30;
 *     how.steps = 80;
 *     vdi_vilds_fit_natural(model, data, &how, NULL, NULL, &err);
 * The posteriors stay with the data. They are no part of the model's state: a model that is loaded
 * infers from rest (vdi_vilds_query.rest).
 * Memory: the posteriors, (trials,T,2 d d + d) numbers, are of the data; besides, what a step
 * needs of tape and arena, with particles (particles,32,T,d + 1) numbers for their paths.
 * Errors: statuses; a step after which the log joint is not finite is
 * undone and the next ones are shorter. Threads: one model per thread.
 */
#ifndef VDI_MODEL_VILDS_VARIATIONAL_EM_H
#define VDI_MODEL_VILDS_VARIATIONAL_EM_H
#include "particle.h"
#include "train.h"

/** How vdi_vilds_fit_natural learns. Zero is the default of each field. */
typedef struct vdi_vilds_natural {
    int64_t steps;     /**< of the parameters */
    int64_t samples;   /**< of each trial's posterior, in a step */
    int64_t particles; /**< 0: a step goes along the gradient of the bound; else along that of
                            log p(y) itself, by so many particles of each trial */
    double rate;       /**< Adam's rate, down a cosine to a hundredth */
    uint64_t seed;     /**< of the samples */
} vdi_vilds_natural;

/** Name, default, range and help of each field. */
VDI_API const vdi_fields *vdi_vilds_natural_fields(void);
/** The description with defaults filled in; NULL is all defaults. */
VDI_API vdi_vilds_natural vdi_vilds_natural_defaults(const vdi_vilds_natural *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_vilds_natural_check(const vdi_vilds_natural *desc, vdi_error *err);
/** Learn the parameters, from where they are if training began before, else from the start that
 * vdi_vilds_init draws. `desc` and `fn` may be NULL; VDI_STOPPED if `fn` says so. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_fit_natural(vdi_vilds *m, vdi_vilds_data *data,
                                                       const vdi_vilds_natural *desc,
                                                       vdi_vilds_progress_fn fn, void *user,
                                                       vdi_error *err);

#endif /* VDI_MODEL_VILDS_VARIATIONAL_EM_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_VARIATIONAL_EM_C)
#define VDI_MODEL_VILDS_VARIATIONAL_EM_C

VDI__DEF const vdi_fields *vdi_vilds_natural_fields(void) {
    static const vdi_field rows[] = {
        VDI_FIELD_INT(vdi_vilds_natural, steps, 400, 1, 1e9, "of the parameters"),
        VDI_FIELD_INT(vdi_vilds_natural, samples, 8, 2, 1000000,
                      "of each trial's posterior, in a step"),
        VDI_FIELD_INT(vdi_vilds_natural, particles, 0, 0, 1000000,
                      "that a posterior guides, for the gradient of log p(y); 0: of the bound"),
        VDI_FIELD_REAL_FLAGS(vdi_vilds_natural, rate, 0.03, 0, 10,
                             VDI_FIELD_ABOVE | VDI_FIELD_BELOW, "Adam's rate, down a cosine"),
        VDI_FIELD_SEED(vdi_vilds_natural, seed, "of the samples"),
    };
    static const vdi_fields fields = {"vdi_vilds_natural", rows, (int)VDI__COUNT(rows)};
    return &fields;
}

VDI__DEF vdi_vilds_natural vdi_vilds_natural_defaults(const vdi_vilds_natural *desc) {
    vdi_vilds_natural d = VDI__ZERO;
    if (desc) d = *desc;
    vdi_fields_fill(vdi_vilds_natural_fields(), &d);
    return d;
}

VDI__DEF vdi_status vdi_vilds_natural_check(const vdi_vilds_natural *desc, vdi_error *err) {
    const vdi_vilds_natural filled = vdi_vilds_natural_defaults(desc);
    return vdi_fields_check(vdi_vilds_natural_fields(), &filled, err);
}

/* A run. */
typedef struct vdi__vilds_em {
    vdi_vilds *m;
    vdi_vilds_data *data;
    vdi_vilds_natural desc;
    double elbo, log_p, scale;
    int64_t undone;
} vdi__vilds_em;

/* Room for the posteriors, with the data. */
VDI__FN vdi_status vdi__vilds_keep(vdi_vilds_data *data, int64_t d, vdi_error *err) {
    const size_t bins = vdi_mul_size((size_t)data->trials, (size_t)data->T);
    const size_t vec = vdi_mul_size(bins, (size_t)d * sizeof(double));
    const size_t mat = vdi_mul_size(vec, (size_t)d);
    double *D = (double *)vdi_arena_alloc(&data->arena, mat);
    data->E = (double *)vdi_arena_alloc(&data->arena, mat);
    data->m = (double *)vdi_arena_alloc(&data->arena, vec);
    data->rho = (double *)vdi_arena_alloc(&data->arena, (size_t)data->trials * sizeof(double));
    if (!D || !data->E || !data->m || !data->rho) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_fit_natural",
                             "no memory for the posteriors of %zu bins", bins);
    }
    for (int64_t i = 0; i < data->trials; i++)
        data->rho[i] = 1;
    data->D = D;
    return VDI_OK;
}

/* Trials from .. of the data out of, or into, those of a batch. */
VDI__FN void vdi__vilds_exchange(vdi_vilds_data *data, const vdi__vilds_batch *b, int64_t d,
                                 vdi__gauss *q, bool keep) {
    const int64_t T = data->T * d, to = b->info.T * d;
    for (int64_t i = 0; i < b->info.trials; i++) {
        const int64_t k = b->info.trial[i], length = b->info.length[i];
        double *D = data->D + k * T * d, *E = data->E + k * T * d, *mean = data->m + k * T;
        double *qD = q->D + i * to * d, *qE = q->E + i * (to - d) * d, *qm = q->mean + i * to;
        if (keep)
            vdi__gauss_copy(qD, qE, qm, d, length, D, E, mean);
        else
            vdi__gauss_copy(D, E, mean, d, length, qD, qE, qm);
    }
}

/* A block of trials, packed. */
VDI__FN vdi_status vdi__vilds_em_pack(vdi__vilds_em *r, int64_t from, vdi__vilds_batch *b,
                                      vdi_error *err) {
    vdi__vilds_item item[64];
    const int64_t room = r->desc.particles ? (int64_t)VDI__SWARM_BLOCK : (int64_t)VDI__COUNT(item);
    const int64_t most = VDI__MIN(r->m->desc.train.batch, room);
    const int64_t count = VDI__MIN(most, r->data->trials - from);
    vdi_arena_reset(&r->m->arena);
    vdi_tape_reset(r->m->tape);
    for (int64_t i = 0; i < count; i++)
        item[i] = vdi__vilds_whole(r->data, from + i);
    return vdi__vilds_pack(r->m, r->data, item, count, NULL, false, b, err);
}

/* Laplace's posterior of every trial. */
VDI__FN vdi_status vdi__vilds_em_begin(vdi__vilds_em *r, vdi_error *err) {
    const int64_t d = r->m->desc.d;
    vdi_status status = vdi__vilds_keep(r->data, d, err);
    for (int64_t from = 0; from < r->data->trials && status >= 0;) {
        vdi__vilds_batch b;
        vdi__gauss q;
        status = vdi__vilds_em_pack(r, from, &b, err);
        if (status >= 0) status = vdi__gauss_make(r->m, &b, &q, err);
        if (status >= 0) status = vdi__natural_laplace(r->m, &b, 20, &q, err);
        if (status >= 0) status = vdi__natural_refine(r->m, &b, 2, r->desc.samples, 0, &q, err);
        if (status < 0) return status;
        vdi__vilds_exchange(r->data, &b, d, &q, true);
        from += b.info.trials;
    }
    return status;
}

/* The gradient of minus the bound per bin at samples of n->now, added to that of the parameters. */
VDI__FN vdi_status vdi__vilds_em_slope(vdi__vilds_em *r, vdi__natural *n, vdi_error *err) {
    vdi_vilds *m = r->m;
    vdi_tape *t = m->tape;
    const int64_t B = n->b->info.trials, T = n->b->info.T, d = m->desc.d;
    const double share = 1 / ((double)n->samples * (double)r->data->total);
    const bool old = vdi_tape_set_no_grad(t, false);
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    vdi_status status = VDI_OK;
    for (int64_t s = 0; s < n->samples && status >= 0; s += n->paths) {
        const int64_t count = VDI__MIN(n->paths, n->samples - s);
        vdi_lds_vars prior;
        vdi_tape_reset(t);
        vdi_var z =
            vdi_tape_constant(t, vdi_tensor_4d(n->z + s * B * T * d, VDI_F64, count, B, T, d));
        if (!m->desc.log_joint) (void)vdi__vilds_prior(m, n->b, &m->at.prior, &prior);
        vdi_var joint = vdi__vilds_log_joint(m, n->b, &prior, z, count, true);
        vdi_var loss = vdi_var_mul_scalar(t, vdi_var_sum(t, joint), -share);
        if (vdi_tape_backward(t, loss) >= 0) r->elbo -= vdi_tape_item(t, loss);
        status = vdi_tape_status(t, err);
        vdi_arena_rewind(&m->arena, mark);
    }
    (void)vdi_tape_set_no_grad(t, old);
    for (int64_t i = 0; i < B; i++) {
        const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
        const double bins = (double)(n->b->info.length[i] * d);
        const double entropy = 0.5 * (bins * (1 + VDI_LOG_2PI) - n->now.logdet[i]);
        r->elbo += (entropy - (obs && obs->apart ? n->b->constant[i] : 0)) / (double)r->data->total;
    }
    return status;
}

/* Samples n->z of the posterior itself, and log p(y) of the batch: by particles along n->now. */
VDI__FN vdi_status vdi__vilds_em_particles(vdi__vilds_em *r, vdi__natural *n, int64_t step,
                                           vdi_error *err) {
    vdi__swarm w;
    memset(&w, 0, sizeof w);
    w.m = r->m;
    w.data = r->data;
    w.d = r->m->desc.d;
    w.desc.count = w.P = r->desc.particles;
    w.desc.runs = 1;
    w.desc.seed = r->desc.seed + (uint64_t)step;
    w.traced = true;
    w.from = n->b->info.trial[0];
    w.B = n->b->info.trials;
    memcpy(w.length, n->b->info.length, (size_t)w.B * sizeof *w.length);
    const bool old = vdi_tape_set_no_grad(r->m->tape, true);
    const vdi_status status = vdi__swarm_filter(&w, n->b, &n->now, err);
    (void)vdi_tape_set_no_grad(r->m->tape, old);
    if (status < 0) return status;
    vdi__swarm_draw(&w, n->samples, n->z, n->order);
    for (int64_t i = 0; i < w.B; i++)
        r->log_p += w.log_p[i] / (double)r->data->total;
    return VDI_OK;
}

/* A natural-gradient step of all posteriors, and the gradient of the parameters there. */
VDI__FN vdi_status vdi__vilds_em_expect(vdi__vilds_em *r, int64_t step, double cap,
                                        vdi_error *err) {
    vdi_vilds *m = r->m;
    vdi_status status = VDI_OK;
    r->elbo = r->log_p = 0;
    vdi_params_zero_grad(m->params);
    for (int64_t from = 0; from < r->data->trials && status >= 0;) {
        vdi__vilds_batch b;
        vdi__natural n;
        status = vdi__vilds_em_pack(r, from, &b, err);
        if (status >= 0) status = vdi__natural_make(m, &b, r->desc.samples, &n, err);
        if (status < 0) return status;
        vdi__vilds_exchange(r->data, &b, m->desc.d, &n.now, false);
        for (int64_t i = 0; i < b.info.trials; i++)
            n.rho[i] = r->data->rho[b.info.trial[i]];
        status = vdi__natural_step(&n, r->desc.seed, 2 * step, cap, true, true, NULL, err);
        if (status < 0) return status;
        for (int64_t i = 0; i < b.info.trials; i++)
            r->data->rho[b.info.trial[i]] = VDI__MAX(n.rho[i], 1e-3);
        vdi__vilds_exchange(r->data, &b, m->desc.d, &n.now, true);
        status = vdi__gauss_factor(&n.now, err);
        if (status < 0) return status;
        if (r->desc.particles) {
            status = vdi__vilds_em_particles(r, &n, step, err);
        } else {
            vdi__natural_draw(&n, r->desc.seed, 2 * step + 1);
            vdi__natural_place(&n, &n.now);
        }
        if (status >= 0) status = vdi__vilds_em_slope(r, &n, err);
        from += b.info.trials;
    }
    if (r->desc.particles) r->elbo = r->log_p;
    return status;
}

/* Back to the parameters before the last step; the next ones are shorter. */
VDI__FN vdi_status vdi__vilds_em_undo(vdi__vilds_em *r, int64_t step, const vdi_error *why,
                                      vdi_error *err) {
    vdi_vilds *m = r->m;
    if (step == 0 || r->scale < 1e-6) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_vilds_fit_natural", "%s", why->message);
    }
    vdi__vilds_copy(m, m->params->values, m->safe);
    vdi__vilds_copy(m, vdi__vilds_moment(m, 0), m->safe_m);
    vdi__vilds_copy(m, vdi__vilds_moment(m, 1), m->safe_v);
    r->scale *= 0.5;
    r->undone++;
    return VDI_OK;
}

/* Step `step` of the parameters. */
VDI__FN vdi_status vdi__vilds_em_step(vdi__vilds_em *r, int64_t step, double *rate,
                                      vdi_error *err) {
    vdi_vilds *m = r->m;
    const double wave = 0.5 * (1 + cos(VDI_PI * (double)step / (double)r->desc.steps));
    vdi_error why;
    *rate = r->scale * r->desc.rate * (0.01 + 0.99 * wave);
    vdi_status status = vdi__vilds_em_expect(r, step, 0.05 + 0.45 * wave, &why);
    if (status == VDI_ERR_NUMERIC || status == VDI_ERR_NOT_POSITIVE_DEFINITE)
        return vdi__vilds_em_undo(r, step, &why, err);
    if (status < 0) {
        if (err) *err = why;
        return status;
    }
    vdi__joint_doubt(m, "vdi_vilds_fit_natural", r->elbo);
    vdi__vilds_copy(m, m->safe, m->params->values);
    vdi__vilds_copy(m, m->safe_m, vdi__vilds_moment(m, 0));
    vdi__vilds_copy(m, m->safe_v, vdi__vilds_moment(m, 1));
    vdi_optim_set_rate(m->optim, *rate);
    status = vdi_optim_step(m->optim, err);
    if (status >= 0) vdi__vilds_stabilise(m, m->at.prior.A);
    return status;
}

VDI__DEF vdi_status vdi_vilds_fit_natural(vdi_vilds *m, vdi_vilds_data *data,
                                          const vdi_vilds_natural *desc, vdi_vilds_progress_fn fn,
                                          void *user, vdi_error *err) {
    vdi__vilds_em r;
    vdi_status status = vdi__vilds_fits(m, data, "vdi_vilds_fit_natural", err);
    memset(&r, 0, sizeof r);
    r.m = m;
    r.data = data;
    r.desc = vdi_vilds_natural_defaults(desc);
    r.scale = 1;
    if (status >= 0) status = vdi_vilds_natural_check(&r.desc, err);
    if (status >= 0 && !m->run.ready) status = vdi_vilds_init(m, data, 0, err);
    if (status >= 0 && !data->D) status = vdi__vilds_em_begin(&r, err);
    if (status < 0) return status;
    m->run.ready = m->rests = true;
    vdi_optim_reset(m->optim);
    for (int64_t step = 0; step < r.desc.steps && status >= 0; step++) {
        vdi_vilds_progress p = VDI__ZERO;
        status = vdi__vilds_em_step(&r, step, &p.rate, err);
        m->run.elbo = p.elbo = r.elbo;
        p.step = step + 1;
        p.steps = r.desc.steps;
        p.undone = r.undone;
        p.validation = (double)NAN;
        if (status >= 0 && fn && !fn(&p, user)) return VDI_STOPPED;
    }
    return status < 0 ? status : VDI_OK;
}
#endif
