/* model/sacd/choice.h - the update for actions that are one of n choices; called by
 * model/sacd/update.h
 *
 * The policy is pi(a|s) = softmax of the net's n outputs, and every choice can be looked at, so
 * expectations over the policy are exact, without a sample (Christodoulou 2019, arXiv 1910.07207):
 *     y_i     = r_i + gamma (1-d) sum_a' pi(a'|s') Q_i^{j*(a')}(s',a')
 *     y_{m+1} = gamma (1-d) sum_a' pi(a'|s') (Q_{m+1}^{j*(a')}(s',a') - alpha log pi(a'|s'))
 *     L_pi    = mean sum_a pi(a|s) (alpha log pi(a|s) - min_j sum_i w_i Q_i^j(s,a))
 * with j*(a) the twin whose composite is the smaller one at a. The critics take a choice as n
 * numbers, 1 among zeros, behind the observation: one net for all that asks about actions, at the
 * price of n passes forward for an expectation, where a net with n outputs for each head would
 * need one.
 */
#ifndef VDI_MODEL_SACD_CHOICE_H
#define VDI_MODEL_SACD_CHOICE_H
#include "update.h"

#endif /* VDI_MODEL_SACD_CHOICE_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_CHOICE_C)
#define VDI_MODEL_SACD_CHOICE_C

/* From the net's outputs (n,actions): log pi into s->u, pi into s->sd, and the mean of log pi, the
   negative entropy, into log_pi (n). */
VDI__FN void vdi__choice_probabilities(const vdi__sacd_rows *r, const void *out, double *log_pi) {
    const vdi_sacd *g = r->jobs->g;
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions;
    for (size_t b = 0; b < r->n; b++) {
        const double norm = vdi__choice_norm(t, out, b * actions, actions);
        log_pi[b] = 0;
        for (size_t k = 0; k < actions; k++) {
            const size_t i = b * actions + k;
            const double log_p = vdi__load(t, out, i) - norm, p = exp(log_p);
            vdi__store(t, r->s->u, i, log_p);
            vdi__store(t, r->s->sd, i, p);
            if (p > 0) log_pi[b] += p * log_p;
        }
    }
}

/* Choice k behind every observation of s->x, and both twins there. */
VDI__FN void vdi__choice_twins(const vdi__sacd_rows *r, int which, size_t k) {
    const vdi_sacd *g = r->jobs->g;
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions, observations = (size_t)g->desc.observations;
    for (size_t b = 0; b < r->n; b++) {
        const size_t at = b * (observations + actions) + observations;
        for (size_t i = 0; i < actions; i++)
            vdi__store(t, r->s->x, at + i, i == k ? 1 : 0);
    }
    vdi__critic_twins(g->critic, r->cs, which, r->n, r->s->x);
}

VDI__FN void vdi__choice_targets(const vdi__sacd_rows *r) {
    vdi_sacd *g = r->jobs->g;
    const vdi_critic *c = g->critic;
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions, heads = (size_t)g->heads;
    const int top = g->net.layers - 1, ctop = c->net.layers - 1;
    double *log_pi = g->log_pi + r->at;
    vdi__mlp_forward(&g->net, g->policy.value, r->n, r->s->x, c->net.width[0], r->s->h);
    vdi__choice_probabilities(r, r->s->h[top], log_pi);
    for (size_t k = 0; k < actions; k++) {
        vdi__choice_twins(r, VDI_CRITIC_TARGET, k);
        vdi_critic_minimum(t, g->form->rule, (int64_t)r->n, g->heads, g->w, r->cs->h[0][ctop],
                           r->cs->h[1][ctop], r->cs->dz[ctop], NULL, NULL);
        for (size_t i = 0; i < r->n * heads; i++) {
            const double p = vdi__load(t, r->s->sd, i / heads * actions + k);
            const double before = k ? vdi__load(t, r->y, i) : 0;
            vdi__store(t, r->y, i, before + p * vdi__load(t, r->cs->dz[ctop], i));
        }
    }
    for (size_t b = 0; b < r->n; b++) {
        const vdi_transition past = vdi_replay_get(g->replay, g->index[r->at + b]);
        double *q = r->s->q, *y = r->s->y;
        for (size_t i = 0; i < heads; i++)
            q[i] = vdi__load(t, r->y, b * heads + i);
        vdi__sacd_y(g, g->alpha, past.reward, past.end, q, log_pi[b], y);
        for (size_t i = 0; i < heads; i++)
            vdi__store(t, r->y, b * heads + i, y[i]);
    }
}

/* Cotangents of the outputs: with f_k = alpha log pi_k - Q_k,  d L / d out_k = pi_k (f_k - sum_a
   pi_a f_a) / batch. Q (n,actions) stands in s->da. */
VDI__FN void vdi__choice_cotangents(const vdi__sacd_rows *r, void *dz) {
    const vdi_sacd *g = r->jobs->g;
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions;
    for (size_t b = 0; b < r->n; b++) {
        const double mean = g->alpha * g->log_pi[r->at + b] - g->value[r->at + b];
        for (size_t k = 0; k < actions; k++) {
            const size_t i = b * actions + k;
            const double f = g->alpha * vdi__load(t, r->s->u, i) - vdi__load(t, r->s->da, i);
            const double p = vdi__load(t, r->s->sd, i);
            vdi__store(t, dz, i, p > 0 ? p * (f - mean) / (double)g->desc.batch : 0);
        }
    }
}

VDI__FN void vdi__choice_policy(const vdi__sacd_rows *r) {
    vdi_sacd *g = r->jobs->g;
    const vdi_critic *c = g->critic;
    const vdi_dtype t = g->desc.dtype;
    const size_t actions = (size_t)g->desc.actions, inputs = c->net.width[0];
    const int top = g->net.layers - 1, ctop = c->net.layers - 1;
    double *value = g->value + r->at;
    void *h[VDI__MLP_LAYERS], *dz[VDI__MLP_LAYERS];
    vdi__learner_rows(&g->policy, r->at, h, dz);
    vdi__mlp_forward(&g->net, g->policy.value, r->n, r->x, inputs, h);
    vdi__choice_probabilities(r, h[top], g->log_pi + r->at);
    memcpy(r->s->x, r->x, r->n * inputs * vdi_dtype_size(t));
    for (size_t k = 0; k < actions; k++) {
        vdi__choice_twins(r, 0, k);
        vdi_critic_minimum(t, g->form->rule, (int64_t)r->n, g->heads, g->w, r->cs->h[0][ctop],
                           r->cs->h[1][ctop], NULL, value, r->cs->from);
        for (size_t b = 0; b < r->n; b++)
            vdi__store(t, r->s->da, b * actions + k, value[b]);
    }
    for (size_t b = 0; b < r->n; b++) {
        value[b] = 0;
        for (size_t k = 0; k < actions; k++) {
            const size_t i = b * actions + k;
            value[b] += vdi__load(t, r->s->sd, i) * vdi__load(t, r->s->da, i);
        }
    }
    vdi__choice_cotangents(r, dz[top]);
    vdi__mlp_backward(&g->net, g->policy.value, top, r->n, h, dz);
}
#endif
