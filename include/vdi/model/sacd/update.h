/* model/sacd/update.h - one update of an agent; declared in model/sacd/sacd.h
 *
 * All that is random is drawn first. Then three rounds of jobs: rows of the batch (targets, errors
 * of the critics, the policy's way through the critics, all cotangents), rows of the weights
 * (gradients), pieces of the parameters (Adam and target nets). Every number is one chain of
 * additions whatever the cut, so the number of threads does not show. Every gradient is looked at
 * before the first weight moves, and Adam's step is bounded whatever the gradient: an update is a
 * transaction.
 */
#ifndef VDI_MODEL_SACD_UPDATE_H
#define VDI_MODEL_SACD_UPDATE_H
#include "act.h"
#include "fit.h"

#endif /* VDI_MODEL_SACD_UPDATE_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_UPDATE_C)
#define VDI_MODEL_SACD_UPDATE_C

/* ---- targets ------------------------------------------------------------------------------- */

VDI__FN void vdi__sacd_y(const vdi_sacd *g, double alpha, const float *reward, int end,
                         const double *q, double log_pi, double *y) {
    const int64_t m = g->desc.components;
    const bool terminal = (end & VDI_ENV_TERMINATED) != 0;
    const double keep = terminal ? 0 : g->desc.gamma;
    const double paid = terminal && g->desc.entropy_at_terminals ? g->desc.gamma : keep;
    const double entropy = paid * -alpha * log_pi;
    if (!g->form->split) {
        y[0] = entropy + keep * q[0];
        for (int64_t i = 0; i < m; i++)
            y[0] += vdi__sacd_weight(g, i) * (double)reward[i];
        return;
    }
    for (int64_t i = 0; i < m; i++)
        y[i] = (double)reward[i] + keep * q[i];
    y[m] = entropy + keep * q[m];
}

VDI__DEF void vdi_sacd_target(const vdi_sacd *g, const float *reward, int end, const double *q,
                              double log_pi, double *y) {
    vdi__sacd_y(g, vdi_sacd_alpha(g), reward, end, q, log_pi, y);
}

/* ---- samples of the policy ----------------------------------------------------------------- */

/* sd, and what log pi (n) has of the Gaussian: sum_k log N(eps_k) - log sd_k. */
VDI__FN void vdi__sample_spread(const vdi_sacd *g, vdi__sacd_space *s, size_t n, const void *out,
                                const void *eps, double *log_pi) {
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions;
    for (size_t b = 0; b < n; b++) {
        double sum = -0.5 * VDI_LOG_2PI * (double)actions;
        for (size_t k = 0; k < actions; k++) {
            const double log_sd = vdi__log_sd(vdi__load(t, out, (b * 2 + 1) * actions + k));
            const double e = vdi__load(t, eps, b * actions + k);
            sum -= log_sd + 0.5 * e * e;
            vdi__store(t, s->sd, b * actions + k, log_sd);
        }
        log_pi[b] = sum;
    }
    vdi_exp(t, n * actions, s->sd, s->sd);
}

/* a = tanh(u), u = mean + sd eps: actions go behind the observations of x (n,inputs); log pi (n) =
   sum log N(eps) - log sd - log(1 - a^2), the last as 2 (log 2 - u - softplus(-2u)), exact for
   every u. */
VDI__FN void vdi__sacd_sample(const vdi_sacd *g, vdi__sacd_space *s, size_t n, const void *out,
                              const void *eps, void *x, double *log_pi) {
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions, observations = (size_t)g->desc.observations;
    const size_t count = n * actions, size = vdi_dtype_size(t);
    vdi__sample_spread(g, s, n, out, eps, log_pi);
    for (size_t b = 0; b < n; b++) {
        for (size_t k = 0; k < actions; k++) {
            const size_t i = b * actions + k;
            const double mean = vdi__load(t, out, b * 2 * actions + k);
            const double u = mean + vdi__load(t, s->sd, i) * vdi__load(t, eps, i);
            vdi__store(t, s->u, i, u);
            vdi__store(t, s->softplus, i, -2 * u);
        }
    }
    vdi_softplus(t, count, s->softplus, s->softplus);
    for (size_t b = 0; b < n; b++) {
        for (size_t k = 0; k < actions; k++) {
            const size_t i = b * actions + k;
            const double u = vdi__load(t, s->u, i);
            log_pi[b] -= 2 * (VDI__LOG_2 - u - vdi__load(t, s->softplus, i));
        }
    }
    vdi_tanh(t, count, s->u, s->u);
    for (size_t b = 0; b < n; b++) {
        memcpy(vdi__part(t, x, b * (observations + actions) + observations),
               vdi__part(t, s->u, b * actions), actions * size);
    }
}

/* ---- rows ---------------------------------------------------------------------------------- */

typedef struct vdi__sacd_jobs {
    vdi_sacd *g;
    vdi__critic_jobs critic;
    vdi__adam adam; /* of the policy */
} vdi__sacd_jobs;

/* A chunk of the batch, and the scratch of the worker that has it. */
typedef struct vdi__sacd_rows {
    const vdi__sacd_jobs *jobs;
    size_t at, n;
    vdi__sacd_space *s;
    vdi__critic_space *cs;
    void *x, *y; /* (n,inputs), (n,heads) of the critic's */
} vdi__sacd_rows;

/* x = (obs, action) and s->x = (next obs, ...) of the transitions. */
VDI__FN void vdi__rows_gather(const vdi__sacd_rows *r) {
    vdi_sacd *g = r->jobs->g;
    const vdi_dtype t = g->desc.dtype;
    const size_t observations = (size_t)g->desc.observations;
    const size_t inputs = observations + (size_t)g->desc.actions;
    for (size_t b = 0; b < r->n; b++) {
        const vdi_transition past = vdi_replay_get(g->replay, g->index[r->at + b]);
        vdi__sacd_take(t, inputs, past.obs, vdi__part(t, r->x, b * inputs));
        if (g->norm.data)
            vdi__sacd_see(&g->norm, t, observations, past.obs, vdi__part(t, r->x, b * inputs));
        vdi__sacd_see(&g->norm, t, observations, past.next, vdi__part(t, r->s->x, b * inputs));
    }
}

/* y, from the target critics at a sample of the policy in the next state. */
VDI__FN void vdi__rows_targets(const vdi__sacd_rows *r) {
    vdi_sacd *g = r->jobs->g;
    vdi_critic *c = g->critic;
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions, heads = (size_t)g->heads;
    const int top = g->net.layers - 1, ctop = c->net.layers - 1;
    double *log_pi = g->log_pi + r->at;
    vdi__mlp_forward(&g->net, g->policy.value, r->n, r->s->x, c->net.width[0], r->s->h);
    vdi__sacd_sample(g, r->s, r->n, r->s->h[top], vdi__part(t, g->noise_next, r->at * actions),
                     r->s->x, log_pi);
    vdi__critic_twins(c, r->cs, VDI_CRITIC_TARGET, r->n, r->s->x);
    vdi_critic_minimum(t, g->form->rule, (int64_t)r->n, g->heads, g->w, r->cs->h[0][ctop],
                       r->cs->h[1][ctop], r->cs->dz[ctop], NULL, NULL);
    for (size_t b = 0; b < r->n; b++) {
        const vdi_transition past = vdi_replay_get(g->replay, g->index[r->at + b]);
        double *q = r->s->q, *y = r->s->y;
        for (size_t i = 0; i < heads; i++)
            q[i] = vdi__load(t, r->cs->dz[ctop], b * heads + i);
        vdi__sacd_y(g, g->alpha, past.reward, past.end, q, log_pi[b], y);
        for (size_t i = 0; i < heads; i++)
            vdi__store(t, r->y, b * heads + i, y[i]);
    }
}

/* Cotangents of mean and log sd (n, 2 actions) from d composite / d action, s->da:
   d L / d u = (2 alpha a - (1 - a^2) dQ/da) / batch, and the density's own -log sd adds
   -alpha / batch. */
VDI__FN void vdi__rows_policy_cotangents(const vdi__sacd_rows *r, const void *out, void *dz) {
    const vdi_sacd *g = r->jobs->g;
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions;
    const void *noise = vdi__part(t, g->noise, r->at * actions);
    const double batch = (double)g->desc.batch;
    for (size_t b = 0; b < r->n; b++) {
        for (size_t k = 0; k < actions; k++) {
            const size_t i = b * actions + k, at_sd = (b * 2 + 1) * actions + k;
            const double a = vdi__load(t, r->s->u, i), q = vdi__load(t, r->s->da, i);
            const double du = (2 * g->alpha * a - (1 - a * a) * q) / batch;
            const double raw = vdi__load(t, out, at_sd);
            const double ds =
                du * vdi__load(t, r->s->sd, i) * vdi__load(t, noise, i) - g->alpha / batch;
            const bool clamped = raw < VDI__LOG_SD_MIN || raw > VDI__LOG_SD_MAX;
            vdi__store(t, dz, b * 2 * actions + k, du);
            vdi__store(t, dz, at_sd, clamped ? 0 : ds);
        }
    }
}

/* The policy, whose rows of x begin with the same observations: through the critics and back. */
VDI__FN void vdi__rows_policy(const vdi__sacd_rows *r) {
    vdi_sacd *g = r->jobs->g;
    vdi_critic *c = g->critic;
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions, inputs = c->net.width[0];
    const int top = g->net.layers - 1, ctop = c->net.layers - 1;
    void *h[VDI__MLP_LAYERS], *dz[VDI__MLP_LAYERS];
    vdi__learner_rows(&g->policy, r->at, h, dz);
    vdi__mlp_forward(&g->net, g->policy.value, r->n, r->x, inputs, h);
    memcpy(r->s->x, r->x, r->n * inputs * vdi_dtype_size(t));
    vdi__sacd_sample(g, r->s, r->n, h[top], vdi__part(t, g->noise, r->at * actions), r->s->x,
                     g->log_pi + r->at);
    vdi__critic_twins(c, r->cs, 0, r->n, r->s->x);
    vdi_critic_minimum(t, g->form->rule, (int64_t)r->n, g->heads, g->w, r->cs->h[0][ctop],
                       r->cs->h[1][ctop], NULL, g->value + r->at, r->cs->from);
    vdi__critic_slope(c, r->cs, g->form->rule, r->n, g->w, r->s->da);
    vdi__rows_policy_cotangents(r, h[top], dz[top]);
    vdi__mlp_backward(&g->net, g->policy.value, top, r->n, h, dz);
}

/* What differs between numbers and choices: a row of vdi__learning_kinds, as vdi__actor_kinds. */
typedef struct vdi__learning_kind {
    void (*targets)(const vdi__sacd_rows *r);
    void (*policy)(const vdi__sacd_rows *r);
} vdi__learning_kind;
VDI__FN void vdi__choice_targets(const vdi__sacd_rows *r);
VDI__FN void vdi__choice_policy(const vdi__sacd_rows *r);
static const vdi__learning_kind vdi__learning_kinds[] = {
    {vdi__rows_targets, vdi__rows_policy},
    {vdi__choice_targets, vdi__choice_policy},
};

/* A chunk of the batch through everything that is row by row. */
VDI__FN void vdi__sacd_rows_job(int64_t index, int worker, void *user) {
    const vdi__sacd_jobs *jobs = (const vdi__sacd_jobs *)user;
    vdi_sacd *g = jobs->g;
    vdi_critic *c = g->critic;
    const vdi_dtype t = g->desc.dtype;
    vdi__sacd_rows r;
    r.jobs = jobs;
    r.at = (size_t)(index * c->chunk);
    r.n = VDI__MIN((size_t)c->chunk, (size_t)g->desc.batch - r.at);
    r.s = &g->space[worker];
    r.cs = &c->space[worker];
    r.x = vdi__part(t, c->x, r.at * c->net.width[0]);
    r.y = vdi__part(t, c->y, r.at * (size_t)g->heads);
    const vdi__learning_kind *kind = &vdi__learning_kinds[g->desc.discrete];
    vdi__rows_gather(&r);
    kind->targets(&r);
    for (int j = 0; j < 2; j++)
        vdi__critic_rows(&jobs->critic, j, r.at, r.n);
    kind->policy(&r);
}

/* ---- the weights' gradients of twin, twin, policy; then their steps ------------------------ */

VDI__FN vdi__learner *vdi__sacd_learner(vdi_sacd *g, int64_t index) {
    return index % 3 < 2 ? &g->critic->twin[index % 3] : &g->policy;
}
VDI__FN void vdi__sacd_grad_job(int64_t index, int worker, void *user) {
    vdi_sacd *g = ((const vdi__sacd_jobs *)user)->g;
    vdi__learner *e = vdi__sacd_learner(g, index);
    (void)worker;
    if (index / 3 < e->net->slices) {
        vdi__learner_grad(e, (size_t)g->desc.batch, (int)(index / 3));
    }
}
VDI__FN void vdi__sacd_step_job(int64_t index, int worker, void *user) {
    const vdi__sacd_jobs *jobs = (const vdi__sacd_jobs *)user;
    vdi__learner *e = vdi__sacd_learner(jobs->g, index);
    (void)worker;
    if (index / 3 < vdi__learner_pieces(e)) {
        vdi__learner_step(e, index % 3 < 2 ? &jobs->critic.adam : &jobs->adam, (int)(index / 3));
    }
}

/* ---- is the state valid, where somebody may have written to it? ---------------------------- */

VDI__FN vdi_status vdi__sacd_valid_past(const vdi_sacd *g, const char *where, vdi_error *err) {
    const vdi_tensor past = vdi_replay_tensor(g->replay);
    for (int64_t k = 0; k < past.shape[0]; k++) {
        const float *record = (const float *)past.data + k * past.shape[1];
        const float end = record[past.shape[1] - 1];
        const bool flags = end >= 0 && end <= (VDI_ENV_TERMINATED | VDI_ENV_TRUNCATED);
        if (vdi__all_finite(record, past.shape[1]) && flags) continue;
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "transition %lld of the state is not finite, or ends in a way that is "
                             "unknown",
                             (long long)k);
    }
    return VDI_OK;
}

VDI__FN bool vdi__sacd_valid_line(const vdi__sacd_line *p) {
    return fabs(p->from) < 1e6 && fabs(p->to) < 1e6 && fabs(p->begin) < 1e18 && p->length >= 0;
}

VDI__FN vdi_status vdi__sacd_valid(vdi_sacd *g, const char *where, vdi_error *err) {
    const vdi__sacd_temperature *t = &g->temperature;
    const vdi__sacd_counts *n = &g->count;
    if (!g->suspect) return VDI_OK;
    vdi_status status = vdi__critic_valid(g->critic, where, err);
    if (status < 0) return status;
    if (!vdi__norm_valid(&g->norm)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "the moments of the observations in the state are not finite");
    }
    if (!vdi__learner_valid(&g->policy)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "the state of the policy holds numbers that are not finite");
    }
    if (!(fabs(t->log_alpha) < 700 && t->m - t->m == 0 && t->v >= 0 && t->v - t->v == 0)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "the state of the temperature is not finite");
    }
    if (n->steps < 0 || n->updates < 0 || n->acts < 0 || n->added < 0) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "a counter of the state is negative: %lld, %lld, %lld, %lld",
                             (long long)n->steps, (long long)n->updates, (long long)n->acts,
                             (long long)n->added);
    }
    for (int64_t i = 0; i <= g->desc.components; i++) {
        if (vdi__sacd_valid_line(&g->line[i])) continue;
        return vdi_error_set(err, VDI_ERR_NUMERIC, where, "weight %lld of the state is not finite",
                             (long long)i);
    }
    status = vdi__sacd_valid_past(g, where, err);
    if (status >= 0) g->suspect = false;
    return status;
}

/* ---- one update ---------------------------------------------------------------------------- */

/* The rates of this update: held, then along a line; the critics' in proportion. */
VDI__FN void vdi__sacd_rates(vdi__sacd_jobs *jobs) {
    const vdi_sacd_desc *d = &jobs->g->desc;
    const int64_t update = jobs->g->count.updates;
    const double beyond = (double)VDI__MAX(update - d->rate_hold, 0);
    const double along = d->rate_updates > 0 ? VDI__MIN(beyond / (double)d->rate_updates, 1.0) : 0;
    const double rate = d->rate + (d->last_rate - d->rate) * along;
    const double critic_rate = d->critic_rate == d->rate ? rate : rate * (d->critic_rate / d->rate);
    jobs->adam = vdi__adam_at(rate, 0.9, 0.999, 1e-8, update + 1, d->tau);
    jobs->critic.adam = vdi__adam_at(critic_rate, 0.9, 0.999, 1e-8, update + 1, d->tau);
}

/* All that is random, before the work is shared out. */
VDI__FN void vdi__sacd_draw_batch(vdi_sacd *g) {
    const vdi_sacd_desc *d = &g->desc;
    const int64_t update = g->count.updates, numbers = d->batch * d->actions;
    const uint64_t count = (uint64_t)vdi_replay_count(g->replay);
    vdi_rng rng = vdi__sacd_rng(g, VDI__SACD_SAMPLE, update);
    for (int64_t b = 0; b < d->batch; b++)
        g->index[b] = (int64_t)vdi_rng_below(&rng, count);
    if (!d->discrete) {
        rng = vdi__sacd_rng(g, VDI__SACD_NEXT, update);
        vdi_rng_fill_normal(&rng, d->dtype, numbers, g->noise_next);
        rng = vdi__sacd_rng(g, VDI__SACD_POLICY, update);
        vdi_rng_fill_normal(&rng, d->dtype, numbers, g->noise);
    }
    g->alpha = vdi_sacd_alpha(g);
    for (int64_t i = 0; i < g->heads; i++)
        g->w[i] = g->form->split ? vdi__sacd_weight(g, i) : 1;
}

/* Adam on log alpha; `gap` is mean log pi + H. */
VDI__FN void vdi__sacd_temper(vdi_sacd *g, const vdi__adam *adam, double gap) {
    vdi__sacd_temperature *t = &g->temperature;
    const double gradient = -g->alpha * gap;
    t->m = 0.9 * t->m + 0.1 * gradient;
    t->v = 0.999 * t->v + 0.001 * gradient * gradient;
    t->log_alpha -= adam->step * t->m / (sqrt(t->v) + adam->eps);
    t->log_alpha = VDI__MAX(VDI__MIN(t->log_alpha, 40.0), -40.0);
}

VDI__FN double vdi__mean_of(const double *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

/* The three rounds' first two: every gradient. */
VDI__FN void vdi__sacd_gradients(vdi__sacd_jobs *jobs) {
    vdi_sacd *g = jobs->g;
    vdi_critic *c = g->critic;
    vdi_pool *pool = g->desc.pool;
    vdi_pool_run(pool, jobs->critic.chunks, vdi__sacd_rows_job, jobs);
    if (c->kind->combine) c->kind->combine(&jobs->critic);
    vdi_pool_run(pool, 3 * VDI__MAX(c->net.slices, g->net.slices), vdi__sacd_grad_job, jobs);
}

VDI__DEF vdi_status vdi_sacd_update(vdi_sacd *g, vdi_sacd_stats *stats, vdi_error *err) {
    static const char where[] = "vdi_sacd_update";
    const vdi_sacd_desc *d = &g->desc;
    vdi_critic *c = g->critic;
    vdi__sacd_jobs jobs;
    if (vdi_replay_count(g->replay) < 1) {
        return vdi_error_set(err, VDI_ERR_STATE, where, "there is no transition to learn from");
    }
    vdi_status status = vdi__sacd_valid(g, where, err);
    if (status < 0) return status;
    jobs.g = g;
    jobs.critic.c = c;
    jobs.critic.batch = (size_t)d->batch;
    jobs.critic.chunks = (d->batch + c->chunk - 1) / c->chunk;
    jobs.critic.weights = g->w;
    vdi__sacd_rates(&jobs);
    vdi__sacd_draw_batch(g);
    vdi__sacd_gradients(&jobs);
    const double critics = vdi__learner_squares(&c->twin[0]) + vdi__learner_squares(&c->twin[1]);
    const double policy = vdi__learner_squares(&g->policy);
    const double log_pi = vdi__mean_of(g->log_pi, d->batch);
    const double value = vdi__mean_of(g->value, d->batch);
    const bool critics_ok = vdi__gradient_ok(critics);
    if (!critics_ok || !vdi__gradient_ok(policy) || !(fabs(log_pi) < 1e18)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "update %lld: the gradient of the %s is not finite, or as long as %g",
                             (long long)g->count.updates, critics_ok ? "policy" : "critics",
                             sqrt(critics_ok ? policy : critics));
    }
    if (stats) {
        memset(stats, 0, sizeof *stats);
        vdi__critic_losses(c, jobs.critic.batch, stats->loss);
        stats->critic_gradient = sqrt(critics);
        stats->policy_gradient = sqrt(policy);
        stats->policy_loss = g->alpha * log_pi - value;
        stats->value = value;
        stats->entropy = -log_pi;
        stats->alpha = g->alpha;
    }
    const int pieces = VDI__MAX(vdi__learner_pieces(&c->twin[0]), vdi__learner_pieces(&g->policy));
    vdi_pool_run(d->pool, 3 * pieces, vdi__sacd_step_job, &jobs);
    if (!d->fixed_alpha) vdi__sacd_temper(g, &jobs.adam, log_pi + d->target_entropy);
    c->fits++;
    g->count.updates++;
    return VDI_OK;
}
#endif
