/* model/vilds/predict.h - predictions of values that are left out, the constant model for
 * comparison, and samples from the model
 *
 * Do this:
 *     vdi_vilds_predict(model, data, VDI_VILDS_LEAVE_ONE_OUT, NULL, log_prob, mean, &err);
 *     vdi_vilds_constant(model, data, constant, &err);
 *     vdi_score_bits_against(rows, n, y, log_prob, constant, &bits, &err);    (score.h)
 *     vdi_vilds_draw draw = VDI__ZERO;
 *     draw.trials = 5;
 *     draw.T = 100;
 *     vdi_vilds_simulate(model, &draw, z, y, &err);
 *
 * A prediction is a distribution: its probabilities are integrated over the latent, not taken at a
 * mean rate. Nothing of what is predicted is read. A user's log joint has no observation part to
 * predict with, so here only the ready parts will do.
 * Memory: as infer.h. Errors: statuses. Threads: one model per thread.
 */
#ifndef VDI_MODEL_VILDS_PREDICT_H
#define VDI_MODEL_VILDS_PREDICT_H
#include "infer.h"

/** What is predicted from what. */
typedef enum vdi_vilds_prediction {
    VDI_VILDS_LEAVE_ONE_OUT = 0, /**< channel i at all bins from the other channels */
    VDI_VILDS_ONE_STEP           /**< bin t from all bins before it */
} vdi_vilds_prediction;
/** log E_q p(y) (trials,T,n) and E_q of the mean of y (trials,T,n), the latent integrated by
 * quadrature; either may be NULL. Missing values have log probability 0. `q` may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_predict(vdi_vilds *m, vdi_vilds_data *data,
                                                   vdi_vilds_prediction what,
                                                   const vdi_vilds_query *q, double *log_prob,
                                                   double *mean, vdi_error *err);
/** log p(y) (trials,T,n) of each value under the constant model of the same family of observations:
 * every bin of a channel has the same distribution, with the mean and, where the family has one,
 * the spread that the channel has in the training data. What scores are held against. Missing
 * values have log probability 0. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_constant(const vdi_vilds *m, const vdi_vilds_data *data,
                                                    double *log_prob, vdi_error *err);

/** What is to be drawn. */
typedef struct vdi_vilds_draw {
    int64_t trials, T;    /**< how much, at least 1 each */
    uint64_t seed;        /**< trial i draws from (seed, i) */
    const double *u;      /**< (trials,T,inputs); NULL: 0 */
    const double *offset; /**< (trials,T,n); NULL: 0 */
} vdi_vilds_draw;
/** Draw from the model: latents z (trials,T,d) and observations y (trials,T,n); either may be
 * NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_simulate(vdi_vilds *m, const vdi_vilds_draw *draw,
                                                    double *z, double *y, vdi_error *err);

#endif /* VDI_MODEL_VILDS_PREDICT_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_PREDICT_C)
#define VDI_MODEL_VILDS_PREDICT_C

VDI__FN vdi_status vdi__vilds_needs_ready_parts(const vdi_vilds *m, const char *where,
                                                vdi_error *err) {
    if (!m->desc.log_joint) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                         "a user's log joint has no observation part to predict with");
}

/* Items are worked on until so many are waiting, or so many bins. */
enum { VDI__VILDS_FORECAST_BINS = 8000 };

/* What is predicted: a channel of a whole trial, item.hide; or bin `bin` of it, from those
 * before. */
typedef struct vdi__vilds_target {
    vdi__vilds_item item;
    int64_t bin;
} vdi__vilds_target;

typedef struct vdi__vilds_forecast {
    vdi_vilds *m;
    vdi_vilds_data *data;
    const vdi__obs_ops *obs;
    double *log_prob, *mean; /* where it goes */
    vdi__vilds_answer a;
    vdi__obs_numbers numbers;
    vdi__vilds_rule rule;
    vdi__decoder decoder;
    vdi__vilds_steps steps;
    double *A, *Q, *Q0, *x0;      /* (d,d), (d,d), (d,d), (d) */
    double *chol, *cov, *AS, *mu; /* (d,d), (d,d), (d,d), (d) */
    int64_t *row;                 /* (strip): rows of the data whose nodes are in the decoder */
    int64_t strip, filled;
} vdi__vilds_forecast;

/* Buffers, behind the answer in the arena. */
VDI__FN vdi_status vdi__vilds_forecast_make(vdi__vilds_forecast *f, int64_t nodes, vdi_error *err) {
    vdi_vilds *m = f->m;
    const int64_t d = m->desc.d, dd = d * d;
    const vdi_param *p = m->params->item;
    vdi_status status = vdi__vilds_obs_numbers(m, &f->numbers, err);
    if (status >= 0) status = vdi__vilds_rule_make(m, nodes, &f->rule, err);
    if (status >= 0)
        status = vdi__decoder_make(m, VDI__MAX(2048, f->rule.count), false, &f->decoder, err);
    if (status >= 0 && m->at.transition >= 0)
        status = vdi__vilds_steps_make(m, f->rule.count, &f->steps, err);
    if (status < 0) return status;
    f->strip = VDI__MAX(1, f->decoder.room / f->rule.count);
    f->filled = 0;
    f->row = (int64_t *)vdi_arena_alloc(&m->arena, (size_t)f->strip * sizeof *f->row);
    f->A = (double *)vdi_arena_alloc(&m->arena, (size_t)(6 * dd + 2 * d) * sizeof *f->A);
    if (!f->row || !f->A)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_predict", "no memory");
    f->Q = f->A + dd;
    f->Q0 = f->Q + dd;
    f->chol = f->Q0 + dd;
    f->cov = f->chol + dd;
    f->AS = f->cov + dd;
    f->x0 = f->AS + dd;
    f->mu = f->x0 + d;
    for (int64_t i = 0; i < dd; i++)
        f->A[i] = vdi__vilds_get(&p[m->at.prior.A], i);
    for (int64_t i = 0; i < d; i++)
        f->x0[i] = vdi__vilds_get(&p[m->at.prior.x0], i);
    status = vdi_vilds_get_covariance(m, "prior.Q", f->Q, err);
    return status < 0 ? status : vdi_vilds_get_covariance(m, "prior.Q0", f->Q0, err);
}

/* One value: eta at the nodes of its bin is `eta` with that stride. */
VDI__FN void vdi__vilds_integrate(const vdi__vilds_forecast *f, int64_t row, int64_t j,
                                  int64_t first, int64_t stride) {
    const vdi_vilds_data *data = f->data;
    const int64_t at = row * data->n + j;
    const double y = vdi_dtype_load(data->dtype, data->y, at);
    const bool seen = !data->seen || data->seen[at];
    double top = -HUGE_VAL, sum = 0, mean = 0, constant = 0, shift = 0;
    if (f->obs->apart) constant = data->log_factorial[at];
    if (data->offset) shift = vdi_dtype_load(data->dtype, data->offset, at);
    for (int64_t q = 0; q < f->rule.count; q++) {
        const double eta = vdi_dtype_load(data->dtype, f->decoder.eta, first + q * stride);
        const vdi__obs_term v = f->obs->term(&f->numbers, j, y, eta, shift);
        const double log_p = v.log_p - constant, w = f->rule.w[q];
        if (log_p > top) {
            sum = sum * exp(top - log_p) + w;
            top = log_p;
        } else {
            sum += w * exp(log_p - top);
        }
        mean += w * v.mean;
    }
    if (f->log_prob) f->log_prob[at] = seen ? top + log(sum) : 0;
    if (f->mean) f->mean[at] = mean;
}

/* The bins whose nodes are in the decoder: channel `only`, or all if that is -1. */
VDI__FN void vdi__vilds_forecast_flush(vdi__vilds_forecast *f, int64_t only) {
    const int64_t n = f->data->n, Q = f->rule.count;
    vdi__decoder_run(f->m, &f->decoder, f->filled * Q, only);
    for (int64_t r = 0; r < f->filled; r++) {
        if (only >= 0) {
            vdi__vilds_integrate(f, f->row[r], only, r * Q, 1);
            continue;
        }
        for (int64_t j = 0; j < n; j++)
            vdi__vilds_integrate(f, f->row[r], j, r * Q * n + j, n);
    }
    f->filled = 0;
}

/* A bin with latent N(mean, S) joins them. */
VDI__FN vdi_status vdi__vilds_forecast_put(vdi__vilds_forecast *f, int64_t trial, int64_t t,
                                           const double *mean, const double *S, vdi_error *err) {
    if (!vdi__vilds_rule_place(f->m, &f->rule, mean, S, f->chol, f->decoder.z,
                               f->filled * f->rule.count)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_vilds_predict",
                             "trial %lld, bin %lld: the covariance is not positive definite",
                             (long long)trial, (long long)t);
    }
    f->row[f->filled++] = trial * f->data->T + t;
    return VDI_OK;
}

/* Item i: its hidden channel in all bins, from the posterior that has not seen it. */
VDI__FN vdi_status vdi__vilds_forecast_channel(vdi__vilds_forecast *f,
                                               const vdi__vilds_target *target, int64_t i,
                                               vdi_error *err) {
    const int64_t d = f->m->desc.d, T = f->a.b.info.T, length = target->item.length;
    const double *mean = (const double *)vdi_tape_value(f->m->tape, f->a.q.mean).data + i * T * d;
    const double *S = (const double *)vdi_tape_value(f->m->tape, f->a.q.S).data + i * T * d * d;
    for (int64_t t = 0; t < length; t++) {
        const vdi_status status =
            vdi__vilds_forecast_put(f, target->item.trial, t, mean + t * d, S + t * d * d, err);
        if (status < 0) return status;
        if (f->filled == f->strip || t + 1 == length)
            vdi__vilds_forecast_flush(f, target->item.hide);
    }
    return VDI_OK;
}

/* Item i: the latent of its bin, one step of the prior from the posterior of the bins before. */
VDI__FN vdi_status vdi__vilds_forecast_bin(vdi__vilds_forecast *f, const vdi__vilds_target *target,
                                           int64_t i, vdi_error *err) {
    const vdi_vilds *m = f->m;
    const int64_t d = m->desc.d, dd = d * d, t = target->bin, trial = target->item.trial;
    const int64_t last = i * f->a.b.info.T + t - 1, inputs = m->desc.inputs;
    if (t == 0) return vdi__vilds_forecast_put(f, trial, t, f->x0, f->Q0, err);
    const double *mean = (const double *)vdi_tape_value(m->tape, f->a.q.mean).data + last * d;
    const double *S = (const double *)vdi_tape_value(m->tape, f->a.q.S).data + last * dd;
    memcpy(f->cov, f->Q, (size_t)dd * sizeof *f->cov);
    memset(f->AS, 0, (size_t)dd * sizeof *f->AS);
    memset(f->mu, 0, (size_t)d * sizeof *f->mu);
    if (m->at.transition < 0) {
        vdi__vm_mul(d, 1, f->A, false, S, false, f->AS);
        vdi__vm_mul(d, 1, f->AS, false, f->A, true, f->cov);
        vdi__vm_apply(d, 1, f->A, false, mean, f->mu);
    } else if (!vdi__vilds_steps_moments(m, &f->rule, &f->steps, f->A, mean, S, f->chol, f->mu,
                                         f->cov)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_vilds_predict",
                             "trial %lld, bin %lld: the covariance is not positive definite",
                             (long long)trial, (long long)t - 1);
    }
    for (int64_t u = 0; u < inputs; u++) {
        const double x = f->data->u[(trial * f->data->T + t) * inputs + u];
        for (int64_t k = 0; k < d; k++)
            f->mu[k] += x * vdi__vilds_get(&m->params->item[m->at.prior.B], u * d + k);
    }
    return vdi__vilds_forecast_put(f, trial, t, f->mu, f->cov, err);
}

/* `count` targets, from their posteriors to their predictions. */
VDI__FN vdi_status vdi__vilds_forecast_run(vdi__vilds_forecast *f, vdi_vilds_prediction what,
                                           const vdi_vilds_query *q,
                                           const vdi__vilds_target *target, int64_t count,
                                           vdi_error *err) {
    vdi__vilds_item item[VDI__VILDS_BLOCK];
    for (int64_t i = 0; i < count; i++)
        item[i] = target[i].item;
    vdi_status status = vdi__vilds_answer_items(f->m, f->data, item, count, q, &f->a, err);
    if (status >= 0) status = vdi__vilds_forecast_make(f, q->nodes, err);
    for (int64_t i = 0; i < count && status >= 0; i++) {
        if (what == VDI_VILDS_LEAVE_ONE_OUT) {
            status = vdi__vilds_forecast_channel(f, &target[i], i, err);
            continue;
        }
        status = vdi__vilds_forecast_bin(f, &target[i], i, err);
        if (status >= 0 && (f->filled == f->strip || i + 1 == count))
            vdi__vilds_forecast_flush(f, -1);
    }
    return status;
}

/* Target k of a trial: channel k, or bin k from those before it; bin 0 takes the prior alone, and
 * its item is there for form. */
VDI__FN vdi__vilds_target vdi__vilds_target_of(const vdi_vilds_data *data,
                                               vdi_vilds_prediction what, int64_t trial,
                                               int64_t k) {
    vdi__vilds_target target;
    target.item = vdi__vilds_whole(data, trial);
    target.bin = k;
    if (what == VDI_VILDS_LEAVE_ONE_OUT)
        target.item.hide = k;
    else
        target.item.length = VDI__MAX(k, 1);
    return target;
}

VDI__DEF vdi_status vdi_vilds_predict(vdi_vilds *m, vdi_vilds_data *data, vdi_vilds_prediction what,
                                      const vdi_vilds_query *query, double *log_prob, double *mean,
                                      vdi_error *err) {
    static const char where[] = "vdi_vilds_predict";
    const size_t cells = (size_t)(data->trials * data->T * data->n);
    vdi__vilds_target target[VDI__VILDS_BLOCK];
    vdi__vilds_forecast f;
    vdi_vilds_query q;
    int64_t count = 0, bins = 0;
    vdi_status status = vdi__vilds_needs_ready_parts(m, where, err);
    if (status >= 0) status = vdi__vilds_ask(m, data, query, where, &q, err);
    if (status < 0) return status;
    memset(&f, 0, sizeof f);
    f.m = m;
    f.data = data;
    f.obs = vdi__vilds_obs(&m->desc);
    f.log_prob = log_prob;
    f.mean = mean;
    if (log_prob) memset(log_prob, 0, cells * sizeof *log_prob);
    if (mean) memset(mean, 0, cells * sizeof *mean);
    const bool old = vdi_tape_set_no_grad(m->tape, true);
    for (int64_t trial = 0; trial < data->trials && status >= 0; trial++) {
        const int64_t each = what == VDI_VILDS_LEAVE_ONE_OUT ? data->n : data->length[trial];
        for (int64_t k = 0; k < each && status >= 0; k++) {
            const bool last = trial + 1 == data->trials && k + 1 == each;
            target[count] = vdi__vilds_target_of(data, what, trial, k);
            bins += target[count++].item.length;
            if (!last && count < VDI__VILDS_BLOCK && bins < VDI__VILDS_FORECAST_BINS) continue;
            status = vdi__vilds_forecast_run(&f, what, &q, target, count, err);
            count = bins = 0;
        }
    }
    (void)vdi_tape_set_no_grad(m->tape, old);
    return status;
}

/* ======== the constant model ================================================================== */

VDI__DEF vdi_status vdi_vilds_constant(const vdi_vilds *m, const vdi_vilds_data *data,
                                       double *log_prob, vdi_error *err) {
    static const char where[] = "vdi_vilds_constant";
    const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
    const int64_t n = data->n, rows = data->trials * data->T;
    vdi_status status = vdi__vilds_needs_ready_parts(m, where, err);
    if (status >= 0) status = vdi__vilds_fits(m, data, where, err);
    for (int64_t j = 0; j < n && status >= 0; j++) {
        double model[VDI__OBS_CONSTANT];
        obs->constant_fit(&m->desc, m->mean[j], m->sd[j], model);
        for (int64_t r = 0; r < rows; r++) {
            const double y = vdi_dtype_load(data->dtype, data->y, r * n + j);
            const bool seen = vdi__vilds_seen(data, r, j);
            log_prob[r * n + j] = seen ? obs->constant_log_p(&m->desc, model, y) : 0;
        }
    }
    return status;
}

/* ======== drawing ============================================================================= */

/* x += L e for a lower triangle L */
VDI__FN void vdi__vilds_add_noise(int64_t d, const double *L, vdi_rng *rng, double *x) {
    for (int64_t k = 0; k < d; k++) {
        const double e = vdi_rng_normal(rng);
        for (int64_t i = k; i < d; i++)
            x[i] += L[i * d + k] * e;
    }
}

/* One trial of latents (T,d); f->Q and f->Q0 hold Cholesky factors here. */
VDI__FN void vdi__vilds_draw_latents(vdi__vilds_forecast *f, const vdi_vilds_draw *draw, int64_t i,
                                     vdi_rng *rng, double *z) {
    const vdi_vilds *m = f->m;
    const int64_t d = m->desc.d, inputs = m->desc.inputs;
    for (int64_t t = 0; t < draw->T; t++) {
        double *to = z + t * d;
        if (t == 0) {
            memcpy(to, f->x0, (size_t)d * sizeof *to);
            vdi__vilds_add_noise(d, f->Q0, rng, to);
            continue;
        }
        for (int64_t k = 0; k < d; k++)
            vdi_dtype_store(m->desc.dtype, f->steps.z, k, to[k - d]);
        vdi__vilds_steps_run(m, &f->steps, f->A, 1);
        memcpy(to, f->steps.to, (size_t)d * sizeof *to);
        for (int64_t u = 0; draw->u && u < inputs; u++) {
            const double x = draw->u[(i * draw->T + t) * inputs + u];
            for (int64_t k = 0; k < d; k++)
                to[k] += x * vdi__vilds_get(&m->params->item[m->at.prior.B], u * d + k);
        }
        vdi__vilds_add_noise(d, f->Q, rng, to);
    }
}

/* And the observations (T,n) that go with them. */
VDI__FN void vdi__vilds_draw_observations(vdi__vilds_forecast *f, const vdi_vilds_draw *draw,
                                          int64_t i, const double *z, vdi_rng *rng, double *y) {
    const vdi_vilds_desc *desc = &f->m->desc;
    const int64_t d = desc->d, n = desc->n, room = f->decoder.room;
    const double log_width = f->obs->exposed ? log(desc->bin_width) : 0;
    const double *offset = draw->offset ? draw->offset + i * draw->T * n : NULL;
    for (int64_t from = 0; from < draw->T; from += room) {
        const int64_t rows = VDI__MIN(room, draw->T - from);
        for (int64_t c = 0; c < rows * d; c++)
            vdi_dtype_store(desc->dtype, f->decoder.z, c, z[from * d + c]);
        vdi__decoder_run(f->m, &f->decoder, rows, -1);
        for (int64_t c = 0; c < rows * n; c++) {
            const double eta = vdi_dtype_load(desc->dtype, f->decoder.eta, c);
            const double shift = log_width + (offset ? offset[from * n + c] : 0);
            y[from * n + c] = f->obs->draw(&f->numbers, c % n, eta, shift, rng);
        }
    }
}

VDI__DEF vdi_status vdi_vilds_simulate(vdi_vilds *m, const vdi_vilds_draw *draw, double *z,
                                       double *y, vdi_error *err) {
    static const char where[] = "vdi_vilds_simulate";
    const size_t d = (size_t)m->desc.d;
    vdi__vilds_forecast f;
    vdi_status status = vdi__vilds_needs_ready_parts(m, where, err);
    if (status < 0) return status;
    if (draw->trials < 1 || draw->T < 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "trials is %lld and T %lld: expected at least 1",
                             (long long)draw->trials, (long long)draw->T);
    }
    memset(&f, 0, sizeof f);
    f.m = m;
    f.obs = vdi__vilds_obs(&m->desc);
    vdi_arena_reset(&m->arena);
    double *path =
        (double *)vdi_arena_alloc(&m->arena, vdi_mul_size((size_t)draw->T, d * sizeof *path));
    if (!path) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    status = vdi__vilds_forecast_make(&f, 1, err);
    if (status >= 0 && m->at.transition < 0) status = vdi__vilds_steps_make(m, 1, &f.steps, err);
    if (status >= 0) status = vdi_cholesky(VDI_F64, d, f.Q, d, err);
    if (status >= 0) status = vdi_cholesky(VDI_F64, d, f.Q0, d, err);
    for (int64_t i = 0; i < draw->trials && status >= 0; i++) {
        vdi_rng rng = vdi__vilds_rng(draw->seed, VDI__VILDS_RNG_DRAW, i, 0);
        const int64_t at = i * draw->T;
        vdi__vilds_draw_latents(&f, draw, i, &rng, path);
        if (z) memcpy(z + at * m->desc.d, path, (size_t)draw->T * d * sizeof *path);
        if (y) vdi__vilds_draw_observations(&f, draw, i, path, &rng, y + at * m->desc.n);
    }
    return status;
}
#endif
