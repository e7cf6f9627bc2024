/* model/vilds/train.h - training: restarts, a schedule, validation, and steps that can be undone
 *
 * Do this:
 *     vdi_vilds_progress p;
 *     while (vdi_vilds_step(model, data, NULL, &p, &err) == VDI_OK)
 *         printf("%d of %d: %g nats per bin\n", (int)p.step, (int)p.steps, p.elbo);
 *     vdi_vilds_fit(model, data, NULL, NULL, NULL, &err);   or all of it at once
 *
 * A run is `restarts` starts of `restart_steps` steps each, of which the best by training bound
 * continues, and then the full schedule; with one start it is the schedule alone. `encoder_steps`
 * more leave all but the encoder as it is: their bound counts the neurons that are left out too, so
 * that the posterior of the others learns to predict them. A step draws a
 * batch, leaves neurons out, and takes one step of Adam on minus its bound. A step whose bound or
 * gradient is not finite is undone, and the next ones are shorter. Between steps vdi_vilds_state
 * holds all that a run needs to continue with the same bits.
 * Memory: the first steps grow the tape and the arena, then nothing is allocated. Errors: statuses;
 * VDI_ERR_NUMERIC when no step is short enough. Threads: one model per thread.
 */
#ifndef VDI_MODEL_VILDS_TRAIN_H
#define VDI_MODEL_VILDS_TRAIN_H
#include "bound.h"

/** What a progress callback sees. */
typedef struct vdi_vilds_progress {
    int64_t step, steps;   /**< done, and in all (restarts included) */
    int64_t start, starts; /**< which restart; start == starts in the full schedule */
    double elbo;           /**< of the last step, nats per bin; noisy */
    double validation;     /**< the last one; NaN before the first */
    double rate;           /**< learning rate */
    int64_t undone;        /**< steps undone so far */
} vdi_vilds_progress;
/** Return false to stop: vdi_vilds_fit then returns VDI_STOPPED, and goes on when it is called
 * again. */
typedef bool (*vdi_vilds_progress_fn)(const vdi_vilds_progress *p, void *user);

/** One step of the schedule, restarts included; VDI_END when it is over (then the best parameters
 * stand). `p` may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_step(vdi_vilds *m, vdi_vilds_data *data,
                                                vdi_vilds_data *validation, vdi_vilds_progress *p,
                                                vdi_error *err);
/** All steps that are left. With `validation` (may be NULL) the parameters that were best there are
 * kept. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_fit(vdi_vilds *m, vdi_vilds_data *data,
                                               vdi_vilds_data *validation, vdi_vilds_progress_fn fn,
                                               void *user, vdi_error *err);
/** The loss of one step of the full schedule (minus the bound per bin, a number) and its gradient
 * in the parameters' `grad`; nothing is changed besides: for checks, and for training loops of your
 * own. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_loss(vdi_vilds *m, vdi_vilds_data *data, int64_t step,
                                                double *loss, vdi_error *err);
/** Begin the schedule again from the parameters as they are, without restarts: after a start of
 * your own. */
VDI_API void vdi_vilds_resume_from_here(vdi_vilds *m);

#endif /* VDI_MODEL_VILDS_TRAIN_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_TRAIN_C)
#define VDI_MODEL_VILDS_TRAIN_C

/* The spectral radius that A keeps below. */
#define VDI__VILDS_RADIUS 0.9995
/* The first rate of steps of the encoder alone; the last one is a tenth of it. */
#define VDI__VILDS_ENCODER_RATE 1e-2

/* ======== the loss of a step ================================================================== */

/* The trials of a step, or windows of them: a permutation for each epoch, the longest first, so
 * that neighbours in the lanes of the solver are of like length. */
VDI__FN void vdi__vilds_draw_items(const vdi_vilds *m, const vdi_vilds_data *data, int64_t phase,
                                   int64_t step, int64_t count, int64_t *order,
                                   vdi__vilds_item *item) {
    const vdi_vilds_train *tr = &m->desc.train;
    const int64_t each = data->trials / count, epoch = step / each, slot = step % each;
    vdi_rng rng = vdi__vilds_rng(tr->seed, VDI__VILDS_RNG_ORDER, phase << 32 | epoch, 0);
    vdi_rng_permutation(&rng, data->trials, order);
    for (int64_t i = 0; i < count; i++) {
        vdi__vilds_item it = vdi__vilds_whole(data, order[slot * count + i]);
        int64_t at = i;
        if (tr->window > 0 && it.length > tr->window) {
            rng = vdi__vilds_rng(tr->seed, VDI__VILDS_RNG_MASK, phase << 32 | step, it.trial);
            it.first = (int64_t)vdi_rng_below(&rng, (uint64_t)(it.length - tr->window + 1));
            it.length = tr->window;
        }
        for (; at > 0 && item[at - 1].length < it.length; at--)
            item[at] = item[at - 1];
        item[at] = it;
    }
}

/* Which channels of which trial the encoder and the likelihood see. */
VDI__FN void vdi__vilds_draw_masks(const vdi_vilds *m, int64_t phase, int64_t step, int64_t count,
                                   const vdi__vilds_item *item, unsigned char *visible) {
    const vdi_vilds_train *tr = &m->desc.train;
    const int64_t n = m->desc.n;
    for (int64_t i = 0; i < count; i++) {
        vdi_rng rng = vdi__vilds_rng(tr->seed, VDI__VILDS_RNG_MASK, phase << 32 | step,
                                     (1 << 22) + item[i].trial);
        const bool some = vdi_rng_bernoulli(&rng, tr->mask_trials);
        for (int64_t j = 0; j < n; j++)
            visible[i * n + j] = !(some && vdi_rng_bernoulli(&rng, tr->mask_rate));
    }
}

/* The graph of minus the bound per bin: the part of it that this process's trials have. */
VDI__FN vdi_status vdi__vilds_graph(vdi_vilds *m, vdi_vilds_data *data, int64_t phase, int64_t step,
                                    vdi_var *loss, vdi_error *err) {
    const vdi_vilds_train *tr = &m->desc.train;
    const int64_t count = VDI__MIN(tr->batch, data->trials);
    const bool masked = tr->mask_rate > 0;
    unsigned char *visible = NULL;
    vdi__vilds_batch b;
    vdi__vilds_q q;
    vdi_arena_reset(&m->arena);
    vdi_tape_reset(m->tape);
    int64_t *order = (int64_t *)vdi_arena_alloc(&m->arena, (size_t)data->trials * sizeof *order);
    vdi__vilds_item *item =
        (vdi__vilds_item *)vdi_arena_alloc(&m->arena, (size_t)count * sizeof *item);
    if (masked) visible = (unsigned char *)vdi_arena_alloc(&m->arena, (size_t)(count * m->desc.n));
    if (!order || !item || (masked && !visible))
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_step", "no memory");
    vdi__vilds_draw_items(m, data, phase, step, count, order, item);
    if (masked) vdi__vilds_draw_masks(m, phase, step, count, item, visible);
    int64_t from, to, bins = 0;
    vdi_ranks_share(&m->desc.ranks, count, &from, &to);
    if (from == to) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_vilds_step",
                             "%lld trials for %d processes: expected at least one for each",
                             (long long)count, (int)m->desc.ranks.count);
    }
    for (int64_t i = 0; i < count; i++)
        bins += item[i].length;
    const vdi_status status = vdi__vilds_pack(
        m, data, item + from, to - from, masked ? visible + from * m->desc.n : NULL, true, &b, err);
    if (status < 0) return status;
    vdi_tensor eps = vdi__no_tensor();
    if (!vdi__vilds_closed(m)) {
        eps = vdi__vilds_eps(m, &b, tr->samples, tr->seed, VDI__VILDS_RNG_EPS, phase << 32 | step);
    }
    vdi__vilds_elbo(m, &b, eps, tr->sampled_kl, &q);
    *loss = vdi_var_mul_scalar(m->tape, vdi_var_sum(m->tape, q.elbo), -1 / (double)bins);
    return vdi_tape_status(m->tape, err);
}

/* Loss and gradient of this process become those of all; a failure of one is one of each. */
VDI__FN vdi_status vdi__vilds_add_ranks(vdi_vilds *m, vdi_status status, double *loss,
                                        vdi_error *err) {
    const int64_t total = m->params->total;
    const vdi_dtype dtype = m->params->dtype;
    double *sum = (double *)vdi_arena_alloc(&m->arena, (size_t)(total + 1) * sizeof *sum);
    if (!sum) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_step", "no memory for a sum");
    sum[total] = status < 0 ? (double)NAN : *loss;
    for (int64_t i = 0; i < total; i++)
        sum[i] = vdi_dtype_load(dtype, m->params->grads, i);
    const vdi_status summed = vdi_ranks_sum(&m->desc.ranks, sum, total + 1, err);
    if (summed < 0) return summed;
    *loss = sum[total];
    for (int64_t i = 0; i < total; i++)
        vdi_dtype_store(dtype, m->params->grads, i, sum[i]);
    if (status >= 0 && !vdi__is_finite(*loss))
        status = vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_vilds_step", "a process has no bound");
    return status;
}

/* The loss of a step, and its gradient in the parameters. */
VDI__FN vdi_status vdi__vilds_gradient(vdi_vilds *m, vdi_vilds_data *data, int64_t phase,
                                       int64_t step, double *loss, vdi_error *err) {
    vdi_var v = vdi_var_none();
    vdi_params_zero_grad(m->params);
    vdi_status status = vdi__vilds_graph(m, data, phase, step, &v, err);
    if (status >= 0) {
        *loss = vdi_tape_item(m->tape, v);
        if (vdi__is_finite(*loss)) {
            (void)vdi_tape_backward(m->tape, v);
            status = vdi_tape_status(m->tape, err);
        } else {
            status =
                vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_vilds_step", "the bound is not finite");
        }
    }
    return m->desc.ranks.count > 1 ? vdi__vilds_add_ranks(m, status, loss, err) : status;
}

/* How far the encoder's window is open at a fraction of the schedule. */
VDI__FN double vdi__vilds_gate(const vdi_vilds_train *tr, double fraction) {
    if (fraction >= tr->open_to) return 1;
    if (fraction <= tr->open_from) return 0;
    return (fraction - tr->open_from) / (tr->open_to - tr->open_from);
}

VDI__DEF vdi_status vdi_vilds_loss(vdi_vilds *m, vdi_vilds_data *data, int64_t step, double *loss,
                                   vdi_error *err) {
    const vdi_vilds_train *tr = &m->desc.train;
    const vdi__vilds_training kept = m->run;
    vdi_status status = vdi__vilds_fits(m, data, "vdi_vilds_loss", err);
    if (status < 0) return status;
    m->run.start = vdi__vilds_starts(m);
    m->run.step = step;
    m->run.gate = vdi__vilds_gate(tr, (double)step / (double)tr->steps);
    status = vdi__vilds_gradient(m, data, tr->restarts, step, loss, err);
    m->run = kept;
    return status;
}

/* ======== a step ============================================================================== */

VDI__FN void vdi__vilds_copy(vdi_vilds *m, void *to, const void *from) {
    memcpy(to, from, vdi__vilds_bytes(m));
}

/* The rate of the step at hand, and the encoder's window. */
VDI__FN double vdi__vilds_schedule(vdi_vilds *m) {
    const vdi_vilds_train *tr = &m->desc.train;
    const bool full = vdi__vilds_in_schedule(m), alone = vdi__vilds_encoder_alone(m);
    const double step = (double)(m->run.step - (alone ? tr->steps : 0));
    const double ramp = tr->warmup ? VDI__MIN(1.0, (step + 1) / (double)tr->warmup) : 1;
    const double fraction = step / (double)(alone ? tr->encoder_steps : tr->steps);
    const double first = alone ? VDI__VILDS_ENCODER_RATE : tr->rate;
    const double last = alone ? 0.1 * VDI__VILDS_ENCODER_RATE : tr->last_rate;
    double rate = first;
    if (full) rate = last + 0.5 * (first - last) * (1 + cos(VDI_PI * fraction));
    rate *= ramp * m->run.scale;
    m->run.gate = alone ? 1 : full ? vdi__vilds_gate(tr, fraction) : 0;
    vdi_optim_set_rate(m->optim, rate > 1e-12 ? rate : 1e-12);
    return rate;
}

/* Adam's first and second moments. */
VDI__FN void *vdi__vilds_moment(vdi_vilds *m, int which) {
    vdi_named_tensor *memory = vdi_optim_state(m->optim)->tensors;
    return memory[which ? m->params->count : 0].tensor.data;
}

VDI__FN void vdi__vilds_decay(vdi_vilds *m, const vdi_vilds_data *data) {
    const double decay = 2 * m->desc.train.weight_decay / (double)data->total;
    for (int i = 0; i <= m->desc.layers && m->at.decoder >= 0; i++) {
        const vdi_param *w = &m->params->item[m->at.decoder + 2 * i];
        vdi_axpby(m->desc.dtype, (size_t)vdi_tensor_count(w->value), decay, w->value.data, 1,
                  w->grad.data);
    }
}

/* Nothing but the encoder learns in this step. */
VDI__FN void vdi__vilds_hold(vdi_vilds *m) {
    for (int64_t i = 0; i < m->params->count; i++) {
        const vdi_param *p = &m->params->item[i];
        if (strncmp(p->name, "encoder", 7) != 0) vdi_tensor_fill(p->grad, 0);
    }
}

/* Gradient and step; what the next step falls back on if this one goes too far is kept. */
VDI__FN vdi_status vdi__vilds_try_step(vdi_vilds *m, vdi_vilds_data *data, double *elbo,
                                       vdi_error *err) {
    double loss = 0;
    const vdi_status status = vdi__vilds_gradient(m, data, m->run.start, m->run.step, &loss, err);
    if (status < 0) return status;
    *elbo = -loss;
    if (vdi__vilds_encoder_alone(m))
        vdi__vilds_hold(m);
    else if (m->desc.train.weight_decay > 0)
        vdi__vilds_decay(m, data);
    vdi__vilds_copy(m, m->safe, m->params->values);
    vdi__vilds_copy(m, m->safe_m, vdi__vilds_moment(m, 0));
    vdi__vilds_copy(m, m->safe_v, vdi__vilds_moment(m, 1));
    return vdi_optim_step(m->optim, err);
}

/* Back to before the step that led here; the next ones are shorter. */
VDI__FN vdi_status vdi__vilds_undo(vdi_vilds *m, const vdi_error *why, vdi_error *err) {
    static const char where[] = "vdi_vilds_step";
    vdi__vilds_training *run = &m->run;
    if (run->scale < 1e-6) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where, "no step is short enough: %s",
                             why->message);
    }
    if (run->step > 0) {
        vdi__vilds_copy(m, m->params->values, m->safe);
        vdi__vilds_copy(m, vdi__vilds_moment(m, 0), m->safe_m);
        vdi__vilds_copy(m, vdi__vilds_moment(m, 1), m->safe_v);
    }
    run->undone++;
    run->scale *= 0.5;
    vdi_log_message(&m->desc.logger, VDI_LOG_WARNING, where,
                    "step %lld undone, the next are shorter by %g: %s", (long long)run->done,
                    run->scale, why->message);
    return VDI_OK;
}

/* A within the unit circle. */
VDI__FN void vdi__vilds_stabilise(vdi_vilds *m, int64_t index) {
    const int64_t dd = m->desc.d * m->desc.d;
    vdi_param *A = &m->params->item[index];
    double *a = m->work;
    if (A->frozen) return;
    for (int64_t i = 0; i < dd; i++)
        a[i] = vdi__vilds_get(A, i);
    const double radius = vdi__vm_radius(m->desc.d, a, a + dd);
    for (int64_t i = 0; radius > VDI__VILDS_RADIUS && i < dd; i++)
        vdi__vilds_put(A, i, a[i] * VDI__VILDS_RADIUS / radius);
}

VDI__FN void vdi__vilds_accept(vdi_vilds *m, double elbo) {
    vdi__vilds_stabilise(m, m->at.prior.A);
    if (m->desc.untied) vdi__vilds_stabilise(m, m->at.own.A);
    m->run.scale = VDI__MIN(1.0, m->run.scale * 1.01);
    m->run.elbo = elbo;
    vdi__joint_doubt(m, "vdi_vilds_step", elbo);
}

/* A start is over: is it the best so far? Then the next one, or the best goes on. */
VDI__FN vdi_status vdi__vilds_finish_start(vdi_vilds *m, vdi_vilds_data *data, vdi_error *err) {
    static const char where[] = "vdi_vilds_step";
    vdi__vilds_training *run = &m->run;
    const int64_t starts = vdi__vilds_starts(m);
    double elbo = 0;
    vdi_status status = vdi__vilds_elbo_all(m, data, 2, m->desc.train.seed, &elbo, NULL);
    vdi_log_message(&m->desc.logger, VDI_LOG_INFO, where, "start %lld of %lld: ELBO %g",
                    (long long)run->start + 1, (long long)starts, elbo);
    if (status >= 0 && vdi__is_finite(elbo) && (!run->have_best || elbo > run->start_elbo)) {
        vdi__vilds_copy(m, m->start_best, m->params->values);
        run->start_elbo = elbo;
        run->have_best = 1;
        run->best_start = run->start;
    }
    run->start++;
    run->step = 0;
    run->scale = 1;
    vdi_optim_reset(m->optim);
    if (run->start < starts) return vdi_vilds_init(m, data, (uint64_t)run->start, err);
    const bool found = run->have_best != 0;
    run->have_best = 0; /* from here on: of validation */
    if (!found) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where, "none of %lld starts has a finite bound",
                             (long long)starts);
    }
    vdi__vilds_copy(m, m->params->values, m->start_best);
    return VDI_OK;
}

/* The bound on what is not trained on; keeps the best parameters, and stops a run that gains
 * nothing more. */
VDI__FN void vdi__vilds_validate(vdi_vilds *m, vdi_vilds_data *validation) {
    const vdi_vilds_train *tr = &m->desc.train;
    vdi__vilds_training *run = &m->run;
    double elbo = 0;
    const vdi_status status = vdi__vilds_elbo_all(m, validation, 4, tr->seed, &elbo, NULL);
    if (status >= 0 && vdi__is_finite(elbo)) {
        run->validation = elbo;
        if (!run->have_best || elbo > run->best) {
            vdi__vilds_copy(m, m->best, m->params->values);
            run->best = elbo;
            run->have_best = 1;
            run->stale = 0;
        } else {
            run->stale++;
        }
    }
    if (tr->patience && run->stale >= tr->patience) run->step = tr->steps;
}

/* The schedule is over: the parameters that were best on validation, and what steps of the encoder
 * alone begin with. */
VDI__FN void vdi__vilds_finish_schedule(vdi_vilds *m) {
    if (m->run.have_best) vdi__vilds_copy(m, m->params->values, m->best);
    m->run.gate = 1;
    if (m->desc.train.encoder_steps == 0) return;
    m->run.scale = 1;
    vdi_optim_reset(m->optim);
    vdi__vilds_copy(m, m->safe, m->params->values);
    vdi__vilds_copy(m, m->safe_m, vdi__vilds_moment(m, 0));
    vdi__vilds_copy(m, m->safe_v, vdi__vilds_moment(m, 1));
}

VDI__FN void vdi__vilds_report(const vdi_vilds *m, double rate, vdi_vilds_progress *p) {
    const vdi_vilds_train *tr = &m->desc.train;
    const vdi__vilds_training *run = &m->run;
    const int64_t starts = vdi__vilds_starts(m);
    p->step = run->done;
    p->steps = starts * tr->restart_steps + tr->steps + tr->encoder_steps;
    p->start = run->start;
    p->starts = starts;
    p->elbo = run->elbo;
    p->validation = run->validation;
    p->rate = rate;
    p->undone = run->undone;
}

/* Is this step one of those after which validation is due? */
VDI__FN bool vdi__vilds_validates(const vdi_vilds *m) {
    const vdi_vilds_train *tr = &m->desc.train;
    const vdi__vilds_training *run = &m->run;
    return (run->step % tr->eval_every == 0 || run->step == tr->steps) &&
           (run->gate >= 1 || m->desc.reach == 0);
}

VDI__DEF vdi_status vdi_vilds_step(vdi_vilds *m, vdi_vilds_data *data, vdi_vilds_data *validation,
                                   vdi_vilds_progress *p, vdi_error *err) {
    static const char where[] = "vdi_vilds_step";
    const vdi_vilds_train *tr = &m->desc.train;
    vdi__vilds_training *run = &m->run;
    double elbo = 0;
    vdi_error why;
    vdi_status status = vdi__vilds_fits(m, data, where, err);
    if (status >= 0 && validation) status = vdi__vilds_fits(m, validation, where, err);
    if (status >= 0 && !run->ready) {
        status = vdi_vilds_init(m, data, 0, err);
        vdi_optim_reset(m->optim);
        run->ready = status >= 0;
    }
    if (status < 0) return status;
    const bool full = vdi__vilds_in_schedule(m), alone = vdi__vilds_encoder_alone(m);
    if (full && run->step >= tr->steps + tr->encoder_steps) return VDI_END;
    const double rate = vdi__vilds_schedule(m);
    status = vdi__vilds_try_step(m, data, &elbo, &why);
    if (status >= 0) {
        vdi__vilds_accept(m, elbo);
    } else if (status == VDI_ERR_NUMERIC || status == VDI_ERR_NOT_POSITIVE_DEFINITE) {
        status = vdi__vilds_undo(m, &why, err);
        if (status < 0) return status;
    } else {
        if (err) *err = why;
        return status;
    }
    run->step++;
    run->done++;
    if (!full && run->step >= tr->restart_steps)
        status = vdi__vilds_finish_start(m, data, err);
    else if (full && !alone && validation && vdi__vilds_validates(m))
        vdi__vilds_validate(m, validation);
    if (vdi__vilds_in_schedule(m) && !alone && run->step >= tr->steps)
        vdi__vilds_finish_schedule(m);
    if (p) vdi__vilds_report(m, rate, p);
    return status;
}

VDI__DEF vdi_status vdi_vilds_fit(vdi_vilds *m, vdi_vilds_data *data, vdi_vilds_data *validation,
                                  vdi_vilds_progress_fn fn, void *user, vdi_error *err) {
    for (;;) {
        vdi_vilds_progress p;
        const vdi_status status = vdi_vilds_step(m, data, validation, &p, err);
        if (status == VDI_END) return VDI_OK;
        if (status < 0) return status;
        if (fn && !fn(&p, user)) return VDI_STOPPED;
    }
}

VDI__DEF void vdi_vilds_resume_from_here(vdi_vilds *m) {
    vdi__vilds_training *run = &m->run;
    run->ready = 1;
    run->start = vdi__vilds_starts(m);
    run->step = run->stale = run->have_best = 0;
    run->scale = 1;
    vdi_optim_reset(m->optim);
}

VDI__DEF size_t vdi_vilds_bytes(const vdi_vilds *m, const vdi_vilds_data *data) {
    return data->arena.used + m->arena.used + vdi_tape_bytes(m->tape);
}
#endif
