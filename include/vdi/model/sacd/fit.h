/* model/sacd/fit.h - one step of the twins towards their targets; declared in model/sacd/critic.h
 *
 * The loss of a twin, with e_i = Q_i - y_i, is
 *     L = share sum_i mean e_i^2 + lambda mean (sum_i w_i e_i)^2
 * A fit is rounds of jobs: rows of the batch (errors, and cotangents where the heads share one
 * backward pass), what the kind of gradient does between, rows of the weights (gradients), pieces
 * of the parameters (Adam and targets). A kind of gradient is a row of vdi__critic_kinds:
 *     mean     share = 1/heads; one backward pass of all heads together
 *     cagrad   share = 1; the gradient of each head alone, their Gram matrix, coefficients k_i from
 *              model/sacd/cagrad.h, then one backward pass with the error of head i times k_i
 *     cagrad-hidden   the same with gradients in the outputs of the last hidden layer, which bound
 *              those in the weights below it (Sener and Koltun 2018, "Multi-task learning as
 *              multi-objective optimization", 3.3): no backward pass for each head
 * The second term of the loss is added to the cotangents of either.
 */
#ifndef VDI_MODEL_SACD_FIT_H
#define VDI_MODEL_SACD_FIT_H
#include "values.h"

#endif /* VDI_MODEL_SACD_FIT_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_FIT_C)
#define VDI_MODEL_SACD_FIT_C

/* ---- errors -------------------------------------------------------------------------------- */

VDI__FN double vdi__critic_share(const vdi_critic *c) {
    return c->kind->shared ? 1 / (double)c->desc.heads : 1;
}

/* Rows at ... at+n of one twin: forward, and error = 2 share / batch (Q - y), the gradient of the
   first term of the loss. */
VDI__FN void vdi__critic_rows(const vdi__critic_jobs *u, int twin, size_t at, size_t n) {
    vdi_critic *c = u->c;
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads;
    const double scale = 2.0 / (double)u->batch / (c->kind->shared ? (double)heads : 1);
    void *h[VDI__MLP_LAYERS], *dz[VDI__MLP_LAYERS];
    void *error = vdi__part(t, c->error[twin], at * heads);
    vdi__learner_rows(&c->twin[twin], at, h, dz);
    vdi__mlp_forward(net, c->twin[twin].value, n, vdi__part(t, c->x, at * net->width[0]),
                     net->width[0], h);
    vdi_axpby(t, n * heads, scale, h[top], 0, error);
    vdi_axpby(t, n * heads, -scale, vdi__part(t, c->y, at * heads), 1, error);
    if (c->kind->rows) c->kind->rows(u, twin, at, n);
}

/* Cotangents of the outputs from the errors: k_i error_i (k NULL: all 1), plus the gradient of the
   second term, 2 lambda / batch w_i sum_k w_k e_k. */
VDI__FN void vdi__critic_cotangents(const vdi__critic_jobs *u, size_t n, const double *k,
                                    const void *error, void *dz) {
    const vdi_critic *c = u->c;
    const vdi_dtype t = c->net.dtype;
    const size_t heads = (size_t)c->desc.heads;
    const double lambda = c->desc.composite_weight / vdi__critic_share(c);
    if (k) {
        for (size_t i = 0; i < n * heads; i++)
            vdi__store(t, dz, i, vdi__load(t, error, i) * k[i % heads]);
    } else {
        memcpy(dz, error, n * heads * vdi_dtype_size(t));
    }
    for (size_t b = 0; lambda > 0 && b < n; b++) {
        double sum = 0;
        for (size_t i = 0; i < heads; i++)
            sum += (u->weights ? u->weights[i] : 1) * vdi__load(t, error, b * heads + i);
        for (size_t i = 0; i < heads; i++) {
            const double w = u->weights ? u->weights[i] : 1;
            const double z = vdi__load(t, dz, b * heads + i);
            vdi__store(t, dz, b * heads + i, z + lambda * w * sum);
        }
    }
}

/* The backward pass of rows at ... at+n of one twin, all heads together. */
VDI__FN void vdi__critic_back(const vdi__critic_jobs *u, int twin, size_t at, size_t n,
                              const double *k) {
    vdi_critic *c = u->c;
    const vdi__mlp *net = &c->net;
    const int top = net->layers - 1;
    void *h[VDI__MLP_LAYERS], *dz[VDI__MLP_LAYERS];
    vdi__learner_rows(&c->twin[twin], at, h, dz);
    vdi__critic_cotangents(
        u, n, k, vdi__part(net->dtype, c->error[twin], at * (size_t)c->desc.heads), dz[top]);
    vdi__mlp_backward(net, c->twin[twin].value, top, n, h, dz);
}

/* Mean squared error of each head, from the errors of all rows. */
VDI__FN void vdi__critic_losses(const vdi_critic *c, size_t batch, double *loss) {
    const size_t heads = (size_t)c->desc.heads;
    const double k = (double)batch / 2 * (c->kind->shared ? (double)heads : 1);
    for (size_t i = 0; i < heads; i++)
        loss[i] = 0;
    for (int j = 0; j < 2; j++) {
        for (size_t b = 0; b < batch; b++) {
            for (size_t i = 0; i < heads; i++) {
                const double e = vdi__load(c->net.dtype, c->error[j], b * heads + i);
                loss[i] += e * e;
            }
        }
    }
    for (size_t i = 0; i < heads; i++)
        loss[i] *= k * k / (2 * (double)batch);
}

/* ---- mean ---------------------------------------------------------------------------------- */

VDI__FN void vdi__mean_rows(const vdi__critic_jobs *u, int twin, size_t at, size_t n) {
    vdi__critic_back(u, twin, at, n, NULL);
}

/* ---- CAGrad -------------------------------------------------------------------------------- */

VDI__FN bool vdi__gram_reserve(vdi_critic *c) {
    const size_t heads = (size_t)c->desc.heads;
    bool ok = true;
    for (int j = 0; j < 2; j++) {
        c->gram[j] = (double *)vdi_arena_calloc(&c->arena, heads * heads * sizeof(double));
        c->mix[j] = (double *)vdi_arena_calloc(&c->arena, heads * sizeof(double));
        ok = ok && c->gram[j] && c->mix[j];
    }
    return ok;
}

VDI__FN bool vdi__averse_reserve(vdi_critic *c) {
    const vdi__mlp *n = &c->net;
    bool ok = vdi__gram_reserve(c);
    for (int j = 0; j < 2; j++) {
        c->part[j] = vdi__mlp_array(&c->arena, n->dtype, (size_t)c->desc.heads, n->trunk);
        ok = ok && c->part[j];
    }
    for (int i = 0; i < c->workers; i++) {
        for (int l = 0; l < n->layers; l++) {
            c->space[i].whole[l] =
                vdi__mlp_array(&c->arena, n->dtype, (size_t)c->desc.batch, n->width[l + 1]);
            ok = ok && c->space[i].whole[l];
        }
    }
    return ok;
}

/* Job (twin, head): the gradient of one head's loss with respect to the trunk. */
VDI__FN void vdi__averse_part_job(int64_t index, int worker, void *user) {
    const vdi__critic_jobs *u = (const vdi__critic_jobs *)user;
    vdi_critic *c = u->c;
    const int twin = (int)(index % 2);
    const size_t head = (size_t)(index / 2), batch = u->batch;
    const vdi__mlp *net = &c->net;
    vdi__learner *e = &c->twin[twin];
    vdi__critic_space *s = &c->space[worker];
    const int top = net->layers - 1;
    void *part = vdi__part(net->dtype, c->part[twin], head * net->trunk);
    vdi__critic_one_head(c, e->value, batch, head, c->error[twin], e->h, s->whole);
    vdi__mlp_backward(net, e->value, top - 1, batch, e->h, s->whole);
    for (int l = 0; l < top; l++) {
        vdi__mlp_weight_grad(net, l, 0, net->width[l], batch, l ? e->h[l - 1] : e->x,
                             l ? net->width[l] : e->ldx, s->whole[l], part);
        vdi_sum_rows(net->dtype, batch, net->width[l + 1], s->whole[l], net->width[l + 1], false,
                     vdi__part(net->dtype, part, net->bias[l]));
    }
}

/* `sum` and |gradient of one head's loss with respect to its own row of the last layer|^2; the row
   after the last is the bias. */
VDI__FN double vdi__averse_own(const vdi_critic *c, const vdi__learner *e, size_t head,
                               double sum) {
    const vdi__mlp *net = &c->net;
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads, width = net->width[top];
    for (size_t r = 0; r <= width; r++) {
        const size_t at = r < width ? net->weight[top] + r * heads : net->bias[top];
        const double g = vdi__load(net->dtype, e->grad, at + head);
        sum += g * g;
    }
    return sum;
}

/* Job (twin): its Gram matrix, in which trunks meet and rows of different heads do not; then the
   coefficients. */
VDI__FN void vdi__averse_weigh_job(int64_t index, int worker, void *user) {
    const vdi__critic_jobs *u = (const vdi__critic_jobs *)user;
    vdi_critic *c = u->c;
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads, width = net->width[top];
    vdi__learner *e = &c->twin[index];
    double *G = c->gram[index];
    (void)worker;
    vdi__mlp_weight_grad(net, top, 0, width, u->batch, e->h[top - 1], width, c->error[index],
                         e->grad);
    vdi_sum_rows(t, u->batch, heads, c->error[index], heads, false,
                 vdi__part(t, e->grad, net->bias[top]));
    for (size_t i = 0; i < heads; i++) {
        const void *gi = vdi__part(t, c->part[index], i * net->trunk);
        for (size_t j = 0; j <= i; j++) {
            const void *gj = vdi__part(t, c->part[index], j * net->trunk);
            G[i * heads + j] = G[j * heads + i] = vdi_dot(t, net->trunk, gi, gj);
        }
        G[i * heads + i] = vdi__averse_own(c, e, i, G[i * heads + i]);
    }
    (void)vdi_cagrad((int64_t)heads, G, c->desc.cagrad_c, c->mix[index], NULL);
}

/* Job (twin, chunk): back, with the coefficients. */
VDI__FN void vdi__averse_back_job(int64_t index, int worker, void *user) {
    const vdi__critic_jobs *u = (const vdi__critic_jobs *)user;
    const size_t chunk = (size_t)u->c->chunk, at = (size_t)(index / 2) * chunk;
    const int twin = (int)(index % 2);
    (void)worker;
    vdi__critic_back(u, twin, at, VDI__MIN(chunk, u->batch - at), u->c->mix[twin]);
}

VDI__FN void vdi__averse_combine(vdi__critic_jobs *u) {
    vdi_pool *pool = u->c->desc.pool;
    vdi_pool_run(pool, 2 * u->c->desc.heads, vdi__averse_part_job, u);
    vdi_pool_run(pool, 2, vdi__averse_weigh_job, u);
    vdi_pool_run(pool, 2 * u->chunks, vdi__averse_back_job, u);
}

/* One row of a twin's Gram matrix: G_ij = sum_b e_i e_j sum_u w_ui w_uj, over the units u of the
   last hidden layer that are on in row b. `on` (batch,width) is 1 or 0 for each; scaled (width,
   heads) and sum (batch,heads) are scratch. */
VDI__FN void vdi__hidden_row(const vdi_critic *c, int twin, size_t batch, size_t i, const void *on,
                             void *scaled, void *sum) {
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads, width = net->width[top];
    const void *error = c->error[twin];
    double *G = c->gram[twin];
    for (size_t r = 0; r < width; r++) {
        const void *w = vdi__part(t, c->twin[twin].value, net->weight[top] + r * heads);
        vdi_axpby(t, heads, vdi__load(t, w, i), w, 0, vdi__part(t, scaled, r * heads));
    }
    vdi_gemm(t, 0, batch, heads, width, on, width, scaled, heads, sum, heads);
    for (size_t j = 0; j <= i; j++) {
        double g = 0;
        for (size_t b = 0; b < batch; b++) {
            const double pair =
                vdi__load(t, error, b * heads + i) * vdi__load(t, error, b * heads + j);
            g += pair * vdi__load(t, sum, b * heads + j);
        }
        G[i * heads + j] = G[j * heads + i] = g;
    }
}

/* Job (twin): its Gram matrix at the last hidden layer, and the coefficients. The memory of the
   cotangents and of the last layer's gradient is free until then. */
VDI__FN void vdi__hidden_weigh_job(int64_t index, int worker, void *user) {
    const vdi__critic_jobs *u = (const vdi__critic_jobs *)user;
    vdi_critic *c = u->c;
    const vdi__mlp *net = &c->net;
    const vdi_dtype t = net->dtype;
    const int top = net->layers - 1;
    const size_t heads = (size_t)c->desc.heads, units = u->batch * net->width[top];
    vdi__learner *e = &c->twin[index];
    void *on = e->dz[top - 1];
    (void)worker;
    vdi_fill(t, units, 1, on);
    vdi_act_grad(t, VDI_ACT_RELU, 0, units, e->h[top - 1], on, on);
    for (size_t i = 0; i < heads; i++) {
        vdi__hidden_row(c, (int)index, u->batch, i, on, vdi__part(t, e->grad, net->weight[top]),
                        e->dz[top]);
    }
    (void)vdi_cagrad((int64_t)heads, c->gram[index], c->desc.cagrad_c, c->mix[index], NULL);
}

VDI__FN void vdi__hidden_combine(vdi__critic_jobs *u) {
    vdi_pool *pool = u->c->desc.pool;
    vdi_pool_run(pool, 2, vdi__hidden_weigh_job, u);
    vdi_pool_run(pool, 2 * u->chunks, vdi__averse_back_job, u);
}

VDI__DEF vdi_status vdi_critic_gram(const vdi_critic *c, int twin, double *gram, vdi_error *err) {
    const size_t heads = (size_t)c->desc.heads;
    if (!c->gram[0] || c->fits == 0) {
        return vdi_error_set(
            err, VDI_ERR_STATE, "vdi_critic_gram",
            "expected a critic with conflict-averse gradients that has made a fit");
    }
    memcpy(gram, c->gram[twin & 1], heads * heads * sizeof *gram);
    return VDI_OK;
}

/* ---- the kinds, in the order of vdi_critic_gradient ---------------------------------------- */

static const vdi__critic_kind vdi__critic_kinds[] = {
    {true, NULL, vdi__mean_rows, NULL},
    {false, vdi__averse_reserve, NULL, vdi__averse_combine},
    {false, vdi__gram_reserve, NULL, vdi__hidden_combine},
};

VDI__FN const vdi__critic_kind *vdi__critic_kind_of(vdi_critic_gradient gradient) {
    return &vdi__critic_kinds[gradient];
}

/* ---- fit ----------------------------------------------------------------------------------- */

VDI__FN void vdi__critic_rows_job(int64_t index, int worker, void *user) {
    const vdi__critic_jobs *u = (const vdi__critic_jobs *)user;
    const size_t chunk = (size_t)u->c->chunk, at = (size_t)(index / 2) * chunk;
    (void)worker;
    vdi__critic_rows(u, (int)(index % 2), at, VDI__MIN(chunk, u->batch - at));
}
VDI__FN void vdi__critic_grad_job(int64_t index, int worker, void *user) {
    const vdi__critic_jobs *u = (const vdi__critic_jobs *)user;
    (void)worker;
    vdi__learner_grad(&u->c->twin[index % 2], u->batch, (int)(index / 2));
}
VDI__FN void vdi__critic_step_job(int64_t index, int worker, void *user) {
    const vdi__critic_jobs *u = (const vdi__critic_jobs *)user;
    (void)worker;
    vdi__learner_step(&u->c->twin[index % 2], &u->adam, (int)(index / 2));
}

/* Squares beyond this leave float32; a gradient as long as that means that learning has failed
   anyway. */
VDI__FN bool vdi__gradient_ok(double squares) { return squares < 1e36; }

VDI__DEF vdi_status vdi_critic_fit(vdi_critic *c, int64_t n, const void *obs, const void *action,
                                   const void *y, const double *weights, vdi_critic_stats *stats,
                                   vdi_error *err) {
    static const char where[] = "vdi_critic_fit";
    const vdi_critic_desc *d = &c->desc;
    vdi__critic_jobs u;
    if (n < 1 || n > d->batch) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%lld rows: expected 1 to %lld",
                             (long long)n, (long long)d->batch);
    }
    vdi_status status = vdi__critic_valid(c, where, err);
    if (status < 0) return status;
    u.c = c;
    u.batch = (size_t)n;
    u.chunks = (n + c->chunk - 1) / c->chunk;
    u.weights = weights;
    u.adam = vdi__adam_at(d->rate, d->beta1, d->beta2, d->eps, c->fits + 1, d->tau);
    vdi__critic_join(c, (size_t)n, 0, obs, action, c->x);
    memcpy(c->y, y, (size_t)(n * d->heads) * vdi_dtype_size(d->dtype));
    vdi_pool_run(d->pool, 2 * u.chunks, vdi__critic_rows_job, &u);
    if (c->kind->combine) c->kind->combine(&u);
    vdi_pool_run(d->pool, 2 * c->net.slices, vdi__critic_grad_job, &u);
    const double squares = vdi__learner_squares(&c->twin[0]) + vdi__learner_squares(&c->twin[1]);
    if (!vdi__gradient_ok(squares)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "fit %lld: the gradient is not finite, or as long as %g",
                             (long long)c->fits, sqrt(squares));
    }
    if (stats) {
        memset(stats, 0, sizeof *stats);
        vdi__critic_losses(c, u.batch, stats->loss);
        stats->gradient = sqrt(squares);
    }
    vdi_pool_run(d->pool, 2 * vdi__learner_pieces(&c->twin[0]), vdi__critic_step_job, &u);
    c->fits++;
    return VDI_OK;
}
#endif
