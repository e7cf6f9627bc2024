/* model/deepspike/train.h - multi-sample bounds of DeepSpike, their gradients, and the steps that
 * follow them
 *
 * Do this:
 *     vdi_deepspike_progress p;
 *     while (vdi_deepspike_step(net, data, &p, &err) == VDI_OK)
 *         if (p.step % 100 == 0) printf("%lld: %g nats a bin\n", (long long)p.step, p.bound);
 *
 * A step takes `batch` snippets of one cell, draws K trains for each, and weights them: w_k = p(f,
 * s_k) / q(s_k | f). With L = log mean_k w_k, omega_k = w_k / sum_j w_j and L_{-k} = log mean_{j !=
 * k} w_j (0 for K = 1), VIMCO's estimate of the gradient of E[L] is sum_k (L - L_{-k} - omega_k)
 * grad log q(s_k | f) + omega_k grad log p(f, s_k), without bias: a sum over samples, not the mean
 * of the published code. Only bins outside the buffers of a snippet count. The network is stepped
 * by Adam, the cell's theta by RMSprop. The other estimators: vdi_deepspike_weights,
 * docs/guide/spikes.md.
 */
#ifndef VDI_MODEL_DEEPSPIKE_TRAIN_H
#define VDI_MODEL_DEEPSPIKE_TRAIN_H
#include "estimator.h"

/** What a progress callback sees. */
typedef struct vdi_deepspike_progress {
    int64_t step, steps; /**< done, and in all */
    double bound;        /**< of the last step, nats per bin that counts; noisy. Supervised: mean
                              log q */
    double sleep;        /**< wake-sleep: mean log q of the dreams, nats per bin; else NaN */
    double rate;         /**< learning rate of the network */
    double norm;         /**< of its gradient, before clipping */
    int64_t cell;        /**< whose snippets they were */
} vdi_deepspike_progress;
/** Return false to stop: vdi_deepspike_fit then returns VDI_STOPPED, and goes on when it is called
 * again. */
typedef bool (*vdi_deepspike_progress_fn)(const vdi_deepspike_progress *p, void *user);

/** One step; VDI_END when the schedule is over. `p` may be NULL. A step that would leave the finite
 * numbers is an error
 *  (VDI_ERR_NUMERIC), and changes nothing. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_step(vdi_deepspike *m, vdi_deepspike_data *data,
                                                    vdi_deepspike_progress *p, vdi_error *err);
/** All steps that are left; `fn` may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_fit(vdi_deepspike *m, vdi_deepspike_data *data,
                                                   vdi_deepspike_progress_fn fn, void *user,
                                                   vdi_error *err);

/** A batch of one's own, for vdi_deepspike_loss. */
typedef struct vdi_deepspike_batch {
    int64_t count;        /**< snippets, all of one cell */
    const int64_t *trace; /**< (count) index of the trace */
    const int64_t *start; /**< (count) first frame */
    int64_t frames;       /**< of each snippet; buffers as in the description */
    const double *forced; /**< (count, streams, bins, samples): these trains instead of drawn ones;
                               or NULL */
    uint64_t draw;        /**< which random numbers to draw with */
} vdi_deepspike_batch;
/** The mean over snippets of the estimator's bound (nats of a snippet), and the estimate of its
 * gradient: MINUS that of the network is
 *  in the parameters' `grad`, that of theta is in d_theta (theta_count; may be NULL). Nothing else
 *  changes: for checks. */
VDI_API VDI_NODISCARD vdi_status vdi_deepspike_loss(vdi_deepspike *m, vdi_deepspike_data *data,
                                                    const vdi_deepspike_batch *batch, double *bound,
                                                    double *d_theta, vdi_error *err);

#endif /* VDI_MODEL_DEEPSPIKE_TRAIN_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_TRAIN_C)
#define VDI_MODEL_DEEPSPIKE_TRAIN_C

/* ======== a batch ============================================================================= */

/* The estimator of a pass, and which of its bins count. */
VDI__FN void vdi__ds_set_how(vdi__ds_pass *g, vdi_deepspike_estimator estimator) {
    g->estimator = estimator;
    g->how = vdi__ds_estimator_of(estimator);
}

VDI__FN void vdi__ds_buffers(const vdi_deepspike *m, vdi__ds_pass *g) {
    const vdi_deepspike_train *tr = &m->desc.train;
    int64_t first = tr->buffer_first, last = tr->buffer_last;
    if (g->frames < tr->snippet) {
        first = first * g->frames / tr->snippet;
        last = last * g->frames / tr->snippet;
    }
    g->bins = g->frames * m->desc.upsample;
    g->lo = first * m->desc.upsample;
    g->hi = g->bins - last * m->desc.upsample;
}

/* x (count,frames,streams) of snippets, and which frames were seen. */
VDI__FN bool vdi__ds_gather(vdi_deepspike *m, const vdi_deepspike_data *data,
                            const vdi_deepspike_batch *batch, vdi__ds_pass *g) {
    const size_t size = vdi_dtype_size(m->desc.dtype), row = (size_t)data->streams * size;
    const int64_t n = batch->count, frames = batch->frames, bins = frames * m->desc.upsample;
    char *x = (char *)vdi_arena_alloc(&m->arena, (size_t)(n * frames) * row);
    const unsigned char **seen =
        (const unsigned char **)vdi_arena_alloc(&m->arena, (size_t)n * sizeof *seen);
    unsigned char *label =
        (unsigned char *)vdi_arena_alloc(&m->arena, (size_t)(n * data->streams * bins));
    if (!x || !seen || !label) return false;
    for (int64_t b = 0; b < n; b++) {
        const int64_t i = batch->trace[b], at = i * data->frames + batch->start[b];
        memcpy(x + (size_t)(b * frames) * row, (const char *)data->x + (size_t)at * row,
               (size_t)frames * row);
        seen[b] = data->seen + at;
        for (int j = 0; data->label && j < data->streams; j++) {
            memcpy(label + (b * data->streams + j) * bins,
                   data->label + (i * data->streams + j) * data->bins +
                       batch->start[b] * m->desc.upsample,
                   (size_t)bins);
        }
    }
    g->B = g->total = n;
    g->frames = frames;
    g->x = x;
    g->trace = batch->trace;
    g->seen = seen;
    g->label = data->label ? label : NULL;
    g->K = m->desc.train.samples;
    vdi__ds_buffers(m, g);
    return true;
}

/* The outputs of the network in a batch, their gradients, and where both stand. */
typedef struct vdi__ds_outputs {
    int count;
    vdi_var from[3];
    vdi_tensor gradient[3];
} vdi__ds_outputs;

/* The network over a batch: what jobs read of it into g, zeros for their gradients. */
VDI__FN vdi_status vdi__ds_batch_forward(vdi_deepspike *m, vdi__ds_pass *g, vdi__ds_outputs *out,
                                         vdi_error *err) {
    const vdi_deepspike_desc *d = &m->desc;
    const bool correlated = d->posterior == VDI_DEEPSPIKE_CORRELATED;
    vdi_tape_reset(m->tape);
    const bool old = vdi_tape_set_no_grad(m->tape, g->how->dreams && !d->amplitude);
    const vdi_var x =
        vdi_tape_constant(m->tape, vdi_tensor_3d((void *)(uintptr_t)g->x, d->dtype, g->B, g->frames,
                                                 d->generative.streams));
    const vdi__ds_graph net = vdi__ds_network(m, m->tape, x, g->trace);
    (void)vdi_tape_set_no_grad(m->tape, old);
    const vdi_status status = vdi_tape_status(m->tape, err);
    if (status < 0) return status;
    out->count = 0;
    out->from[out->count++] = net.odds;
    if (correlated) out->from[out->count++] = net.input;
    if (d->amplitude) out->from[out->count++] = net.amplitude;
    const void *value[3] = {NULL, NULL, NULL};
    for (int i = 0; i < out->count; i++) {
        out->gradient[i] = vdi_tape_value(m->tape, out->from[i]);
        value[i] = out->gradient[i].data;
        out->gradient[i].data = vdi_arena_calloc(&m->arena, vdi_tensor_bytes(out->gradient[i]));
        if (!out->gradient[i].data)
            return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_step",
                                 "no memory for a batch");
    }
    const int last = out->count - 1;
    g->odds = (const char *)value[0];
    g->d_odds = (char *)out->gradient[0].data;
    g->input = correlated ? (const char *)value[1] : NULL;
    g->d_input = correlated ? (char *)out->gradient[1].data : NULL;
    g->amplitude = d->amplitude ? (const char *)value[last] : NULL;
    g->d_amplitude = d->amplitude ? (char *)out->gradient[last].data : NULL;
    return VDI_OK;
}

/* All jobs over the pool, and what they add to the mean of the bounds. */
VDI__FN vdi_status vdi__ds_batch_jobs(vdi_deepspike *m, vdi__ds_pass *g, int64_t jobs, double *mean,
                                      vdi_error *err) {
    double sum = 0;
    vdi_pool_run(m->desc.pool, jobs, vdi__ds_job, g);
    for (int64_t i = 0; i < jobs; i++) {
        if (g->error[i].status < 0) {
            if (err) *err = g->error[i];
            return g->error[i].status;
        }
    }
    for (int64_t b = 0; b < g->B; b++) {
        sum += g->bound[b];
    }
    *mean = sum / (double)g->total;
    return VDI_OK;
}

/* The gradients of the forward unit's own weights, in the order of the jobs. */
VDI__FN void vdi__ds_batch_recurrent(vdi_deepspike *m, const vdi__ds_pass *g, int64_t jobs,
                                     double scale) {
    const size_t size = vdi_dtype_size(m->desc.dtype);
    const size_t weights = (size_t)vdi__ds_rnn_size(m->desc.hidden);
    const vdi_param *rnn = m->params->item + m->rnn;
    const vdi_param *item[4];
    item[0] = &rnn[VDI__DS_FORWARD + 2];
    item[1] = &rnn[VDI__DS_FORWARD + 3];
    item[2] = &rnn[VDI__DS_SPIKE];
    item[3] = &rnn[VDI__DS_STATE];
    for (int64_t j = 0; j < jobs; j++) {
        const char *w = g->d_rnn + weights * (size_t)j * size;
        for (int i = 0; i < 4; i++) {
            const size_t n = (size_t)vdi_tensor_count(item[i]->grad);
            if (!item[i]->frozen) {
                vdi_axpby(m->desc.dtype, n, scale, w, 1, item[i]->grad.data);
            }
            w += n * size;
        }
    }
}

/* Network, jobs, and the gradient of -bound/total added to the parameters. The theta gradient of
 * each snippet is left in g->d_theta. */
VDI__FN vdi_status vdi__ds_batch_run(vdi_deepspike *m, vdi__ds_pass *g, double *mean,
                                     vdi_error *err) {
    const vdi_deepspike_desc *d = &m->desc;
    const bool correlated = d->posterior == VDI_DEEPSPIKE_CORRELATED, wake = g->how->dreams;
    const int64_t B = g->B, P = d->generative.theta_count;
    const int64_t jobs = g->how->labels ? (B + VDI__DS_ROWS - 1) / VDI__DS_ROWS : B;
    const size_t weights = correlated ? (size_t)vdi__ds_rnn_size(d->hidden) : 0;
    const double scale = -1 / (double)g->total;
    vdi__ds_outputs out;
    vdi_arena *a = &m->arena;
    g->m = m;
    vdi_status status = vdi__ds_batch_forward(m, g, &out, err);
    if (status < 0) return status;
    g->bound = (double *)vdi_arena_alloc(a, (size_t)B * sizeof(double));
    g->d_theta = (double *)vdi_arena_calloc(a, (size_t)(B * P + 1) * sizeof(double));
    g->error = (vdi_error *)vdi_arena_alloc(a, (size_t)jobs * sizeof(vdi_error));
    g->d_rnn = (char *)vdi_arena_calloc(a, weights * (size_t)jobs * vdi_dtype_size(d->dtype) + 1);
    if (!g->bound || !g->d_theta || !g->error || !g->d_rnn)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_step", "no memory for a batch");
    status = vdi__ds_batch_jobs(m, g, jobs, mean, err);
    if (status < 0 || (wake && !d->amplitude)) return status;
    for (int i = 0; i < out.count; i++) {
        vdi_axpby(d->dtype, (size_t)vdi_tensor_count(out.gradient[i]), 0, out.gradient[i].data,
                  scale, out.gradient[i].data);
    }
    if (correlated && !wake) vdi__ds_batch_recurrent(m, g, jobs, scale);
    /* of a wake phase the network learns the amplitude alone */
    const int first = wake ? out.count - 1 : 0;
    (void)vdi_tape_backward_many(m->tape, out.count - first, out.from + first,
                                 out.gradient + first);
    return vdi_tape_status(m->tape, err);
}

VDI__FN vdi_status vdi__ds_fits(const vdi_deepspike *m, const vdi_deepspike_data *data,
                                const char *where, vdi_error *err) {
    const vdi_deepspike_desc *d = &m->desc;
    if (data->dtype != d->dtype || data->streams != d->generative.streams ||
        data->theta_count != d->generative.theta_count ||
        data->bins != data->frames * d->upsample) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "the data were made for another network");
    }
    if (vdi__ds_estimator_of(d->train.estimator)->labels && !data->label) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "the supervised estimator needs labels, the data have none");
    }
    return VDI_OK;
}

/* Is every snippet inside its trace, and all of one cell? */
VDI__FN vdi_status vdi__ds_check_batch(const vdi_deepspike_data *data,
                                       const vdi_deepspike_batch *batch, vdi_error *err) {
    static const char where[] = "vdi_deepspike_loss";
    if (batch->count < 1 || batch->frames < 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "count is %lld, frames %lld",
                             (long long)batch->count, (long long)batch->frames);
    }
    for (int64_t b = 0; b < batch->count; b++) {
        const int64_t i = batch->trace[b], start = batch->start[b];
        const bool there = i >= 0 && i < data->traces;
        if (!there || start < 0 || batch->frames > data->length[i] ||
            start > data->length[i] - batch->frames ||
            data->cell[i] != data->cell[batch->trace[0]]) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "snippet %lld is not inside its trace, or of another cell",
                                 (long long)b);
        }
    }
    return VDI_OK;
}

/* The snippets of a batch as a pass of the description's estimator. */
VDI__FN vdi_status vdi__ds_pass_of(vdi_deepspike *m, const vdi_deepspike_data *data,
                                   const vdi_deepspike_batch *batch, vdi__ds_pass *g,
                                   vdi_error *err) {
    const int64_t cell = data->cell[batch->trace[0]];
    if (!vdi__ds_gather(m, data, batch, g))
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_step", "no memory for a batch");
    vdi__ds_set_how(g, m->desc.train.estimator);
    g->forced = batch->forced;
    g->draw = batch->draw;
    g->theta = data->theta + cell * data->theta_count;
    g->baseline = data->baseline[2 * cell];
    return VDI_OK;
}

/* What these snippets add to the mean of the gradient of theta i. */
VDI__FN double vdi__ds_mean_theta_grad(const vdi__ds_pass *g, int64_t P, int64_t i) {
    double sum = 0;
    for (int64_t b = 0; b < g->B; b++) {
        sum += g->d_theta[b * P + i] / (double)g->total;
    }
    return sum;
}

VDI__DEF vdi_status vdi_deepspike_loss(vdi_deepspike *m, vdi_deepspike_data *data,
                                       const vdi_deepspike_batch *batch, double *bound,
                                       double *d_theta, vdi_error *err) {
    vdi__ds_pass g = VDI__ZERO;
    vdi_status status = vdi__ds_fits(m, data, "vdi_deepspike_loss", err);
    if (status >= 0) status = vdi__ds_check_batch(data, batch, err);
    if (status < 0) return status;
    vdi_arena_reset(&m->arena);
    status = vdi__ds_pass_of(m, data, batch, &g, err);
    if (status < 0) return status;
    vdi_params_zero_grad(m->params);
    status = vdi__ds_batch_run(m, &g, bound, err);
    if (status < 0) return status;
    for (int64_t i = 0; d_theta && i < data->theta_count; i++) {
        d_theta[i] = vdi__ds_mean_theta_grad(&g, data->theta_count, i);
    }
    return VDI_OK;
}

/* ======== dreams ============================================================================== */

/* Snippets of one cell: the cell with a chance in proportion to its frames, then places in its
 * traces. */
VDI__FN int64_t vdi__ds_choose(const vdi_deepspike_data *data, vdi_rng *rng, int64_t frames,
                               int64_t count, int64_t *trace, int64_t *start) {
    int64_t total = 0, of_cell = 0;
    for (int64_t i = 0; i < data->traces; i++)
        total += data->length[i];
    int64_t at = (int64_t)vdi_rng_below(rng, (uint64_t)total), cell = 0;
    for (int64_t i = 0; i < data->traces; i++) {
        if (at < data->length[i]) {
            cell = data->cell[i];
            break;
        }
        at -= data->length[i];
    }
    for (int64_t i = 0; i < data->traces; i++)
        if (data->cell[i] == cell) of_cell += data->length[i] - frames + 1;
    for (int64_t b = 0; b < count; b++) {
        at = (int64_t)vdi_rng_below(rng, (uint64_t)of_cell);
        for (int64_t i = 0; i < data->traces; i++) {
            const int64_t n = data->cell[i] == cell ? data->length[i] - frames + 1 : 0;
            if (at < n) {
                trace[b] = i;
                start[b] = at;
                break;
            }
            at -= n;
        }
    }
    return cell;
}

/* The memory of the dreams of a step. */
typedef struct vdi__ds_dreams {
    int64_t first;        /* the number of the first one, in the step */
    char *x, *spikes, *f; /* (n,frames,streams); (streams,bins) of one of them, and its f */
    unsigned char *label; /* (n,streams,bins) */
    int64_t *trace;       /* (n): whose cell dreams */
} vdi__ds_dreams;

/* One dream: spikes of the prior through the generative model of a random trace's cell. */
VDI__FN vdi_status vdi__ds_dream(vdi_deepspike *m, const vdi_deepspike_data *data, int64_t frames,
                                 int64_t b, uint64_t step, const vdi__ds_dreams *u,
                                 vdi_error *err) {
    const vdi_deepspike_desc *d = &m->desc;
    const vdi_deepspike_generative *gen = &d->generative;
    const int64_t R = d->upsample, bins = frames * R, M = gen->streams, P = data->theta_count;
    const size_t size = vdi_dtype_size(d->dtype);
    double theta[VDI_DEEPSPIKE_THETA];
    vdi_rng rng = vdi__ds_rng(m, VDI__DS_RNG_DREAM, step, (uint64_t)(u->first + b));
    u->trace[b] = (int64_t)vdi_rng_below(&rng, (uint64_t)data->traces);
    memcpy(theta, data->theta + data->cell[u->trace[b]] * P, (size_t)P * sizeof *theta);
    if (d->amplitude) theta[gen->amplitude] += d->amplitude_spread * vdi_rng_normal(&rng);
    for (int64_t j = 0; j < M; j++) {
        for (int64_t t = 0; t < bins; t++) {
            const bool spike = vdi_rng_bernoulli(&rng, d->prior_rate[j]);
            u->label[(b * M + j) * bins + t] = spike;
            vdi_dtype_store(d->dtype, u->spikes, j * bins + t, spike);
        }
    }
    const vdi_status status =
        gen->sample(theta, d->dtype, bins, u->spikes, &rng, NULL, u->f, gen->user, err);
    if (status < 0) return status;
    for (int64_t j = 0; j < M; j++) {
        for (int64_t t = 0; t < frames; t++) {
            memcpy(u->x + (size_t)((b * frames + t) * M + j) * size,
                   u->f + (size_t)(j * bins + t * R + R - 1) * size, size);
        }
    }
    return VDI_OK;
}

/* A pass of dreams, with the trains as labels. */
VDI__FN vdi_status vdi__ds_dream_pass(vdi_deepspike *m, const vdi_deepspike_data *data,
                                      int64_t frames, vdi__ds_pass *g, uint64_t step,
                                      vdi_error *err) {
    const vdi_deepspike_desc *d = &m->desc;
    const int64_t bins = frames * d->upsample, M = d->generative.streams;
    const size_t size = vdi_dtype_size(d->dtype);
    int64_t to;
    vdi__ds_dreams u;
    vdi_ranks_share(&d->ranks, d->train.dreams, &u.first, &to);
    const int64_t n = to - u.first;
    u.x = (char *)vdi_arena_alloc(&m->arena, (size_t)(n * frames * M) * size);
    u.spikes = (char *)vdi_arena_alloc(&m->arena, 2 * (size_t)(bins * M) * size);
    u.label = (unsigned char *)vdi_arena_alloc(&m->arena, (size_t)(n * M * bins));
    u.trace = (int64_t *)vdi_arena_alloc(&m->arena, (size_t)n * sizeof *u.trace);
    if (!u.x || !u.spikes || !u.label || !u.trace)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_step", "no memory for dreams");
    u.f = u.spikes + (size_t)(bins * M) * size;
    for (int64_t b = 0; b < n; b++) {
        const vdi_status status = vdi__ds_dream(m, data, frames, b, step, &u, err);
        if (status < 0) return status;
    }
    g->B = n;
    g->first = u.first;
    g->total = d->train.dreams;
    g->K = 1;
    g->frames = frames;
    g->x = u.x;
    g->trace = u.trace;
    g->label = u.label;
    vdi__ds_set_how(g, VDI_DEEPSPIKE_SUPERVISED);
    vdi__ds_buffers(m, g);
    return VDI_OK;
}

/* ======== a step ============================================================================== */

/* A step on its way; the model and the data change only when all of it is known. */
typedef struct vdi__ds_step {
    int64_t cell;
    double bound, sleep, rate;
    vdi__ds_pass batch, dreams;
    double d_theta[VDI_DEEPSPIKE_THETA];                            /* the gradient's mean */
    double theta[VDI_DEEPSPIKE_THETA], square[VDI_DEEPSPIKE_THETA]; /* RMSprop's */
} vdi__ds_step;

/* Snippets of one cell, their bound and gradients, and those of the dreams: this process's. */
VDI__FN vdi_status vdi__ds_step_gradients(vdi_deepspike *m, vdi_deepspike_data *data,
                                          vdi__ds_step *s, vdi_error *err) {
    const vdi_deepspike_train *tr = &m->desc.train;
    vdi_deepspike_batch batch = VDI__ZERO;
    batch.count = tr->batch;
    batch.frames = tr->snippet;
    batch.draw = (uint64_t)m->step;
    for (int64_t i = 0; i < data->traces; i++) {
        batch.frames = VDI__MIN(batch.frames, data->length[i]);
    }
    vdi_arena_reset(&m->arena);
    int64_t *place = (int64_t *)vdi_arena_alloc(&m->arena, 2 * (size_t)tr->batch * sizeof *place);
    if (!place)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_step", "no memory for a batch");
    vdi_rng rng = vdi__ds_rng(m, VDI__DS_RNG_BATCH, (uint64_t)m->step, 0);
    s->cell = vdi__ds_choose(data, &rng, batch.frames, batch.count, place, place + tr->batch);
    int64_t from, to;
    vdi_ranks_share(&m->desc.ranks, tr->batch, &from, &to);
    batch.count = to - from;
    batch.trace = place + from;
    batch.start = place + tr->batch + from;
    vdi_status status = vdi__ds_pass_of(m, data, &batch, &s->batch, err);
    if (status < 0) return status;
    s->batch.first = from;
    s->batch.total = tr->batch;
    vdi_params_zero_grad(m->params);
    status = vdi__ds_batch_run(m, &s->batch, &s->bound, err);
    for (int64_t i = 0; status >= 0 && i < data->theta_count; i++)
        s->d_theta[i] = vdi__ds_mean_theta_grad(&s->batch, data->theta_count, i);
    if (status < 0 || !s->batch.how->dreams) return status;
    status = vdi__ds_dream_pass(m, data, batch.frames, &s->dreams, batch.draw, err);
    return status < 0 ? status : vdi__ds_batch_run(m, &s->dreams, &s->sleep, err);
}

/* Bounds and gradients of this process become those of all; a failure of one is one of each. */
VDI__FN vdi_status vdi__ds_step_ranks(vdi_deepspike *m, vdi_status status, vdi__ds_step *s,
                                      vdi_error *err) {
    const vdi_ranks *ranks = &m->desc.ranks;
    const int64_t total = m->params->total;
    if (ranks->count <= 1) return status;
    double *sum = (double *)vdi_arena_alloc(&m->arena, (size_t)total * sizeof *sum);
    if (!sum && status >= 0)
        status = vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_step", "no memory for a sum");
    status = vdi_ranks_agree(ranks, status, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < total; i++)
        sum[i] = vdi_dtype_load(m->params->dtype, m->params->grads, i);
    status = vdi_ranks_sum(ranks, sum, total, err);
    for (int64_t i = 0; status >= 0 && i < total; i++)
        vdi_dtype_store(m->params->dtype, m->params->grads, i, sum[i]);
    if (status >= 0) status = vdi_ranks_sum(ranks, s->d_theta, VDI_DEEPSPIKE_THETA, err);
    if (status >= 0) status = vdi_ranks_sum(ranks, &s->bound, 1, err);
    if (status >= 0) status = vdi_ranks_sum(ranks, &s->sleep, 1, err);
    return status;
}

/* theta after RMSprop's step, worked out before anything is changed. */
VDI__FN vdi_status vdi__ds_step_theta(const vdi_deepspike *m, const vdi_deepspike_data *data,
                                      vdi__ds_step *s, vdi_error *err) {
    const vdi_deepspike_generative *gen = &m->desc.generative;
    const int64_t P = data->theta_count;
    for (int64_t i = 0; i < P; i++) {
        const double grad = s->d_theta[i];
        const double square = 0.9 * data->theta_v[s->cell * P + i] + 0.1 * grad * grad;
        const double way = m->desc.train.theta_factor * s->rate * grad / sqrt(square + 1e-6);
        s->square[i] = square;
        s->theta[i] = s->batch.theta[i] + (gen->theta_frozen[i] ? 0 : way);
        if (!(s->theta[i] - s->theta[i] == 0) || !(square - square == 0)) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_deepspike_step",
                                 "step %lld: the gradient of %s is %g", (long long)m->step,
                                 gen->theta_name[i] ? gen->theta_name[i] : "theta", grad);
        }
    }
    return VDI_OK;
}

VDI__FN void vdi__ds_step_report(const vdi_deepspike *m, const vdi__ds_step *s,
                                 vdi_deepspike_progress *p) {
    const vdi__ds_pass *g = &s->batch, *dreams = &s->dreams;
    p->step = m->step;
    p->steps = m->desc.train.steps;
    p->bound = s->bound / (double)(g->hi - g->lo);
    p->sleep = g->how->dreams ? s->sleep / (double)(dreams->hi - dreams->lo) : (double)NAN;
    p->rate = s->rate;
    p->norm = vdi_optim_grad_norm(m->optim);
    p->cell = s->cell;
}

VDI__DEF vdi_status vdi_deepspike_step(vdi_deepspike *m, vdi_deepspike_data *data,
                                       vdi_deepspike_progress *p, vdi_error *err) {
    const vdi_deepspike_train *tr = &m->desc.train;
    const int64_t P = data->theta_count;
    vdi__ds_step s = VDI__ZERO;
    if (m->step >= tr->steps) return VDI_END;
    vdi_status status = vdi__ds_fits(m, data, "vdi_deepspike_step", err);
    if (status >= 0)
        status = vdi__ds_step_ranks(m, vdi__ds_step_gradients(m, data, &s, err), &s, err);
    if (status < 0) return status;
    s.rate = vdi_optim_rate(m->optim);
    const vdi__ds_estimator *how = s.batch.how;
    if (!how->labels) status = vdi__ds_step_theta(m, data, &s, err);
    if (status >= 0) status = vdi_optim_step(m->optim, err);
    if (status < 0) return status;
    if (!how->labels && P > 0) {
        memcpy(data->theta + s.cell * P, s.theta, (size_t)P * sizeof *s.theta);
        memcpy(data->theta_v + s.cell * P, s.square, (size_t)P * sizeof *s.square);
    }
    if (how->remember) {
        double *mean = data->baseline + 2 * s.cell;
        const double keep = mean[1] > 0 ? tr->baseline_memory : 0;
        mean[0] = keep > 0 ? keep * mean[0] + (1 - keep) * s.bound : s.bound;
        mean[1]++;
    }
    m->step++;
    if (p) vdi__ds_step_report(m, &s, p);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_deepspike_fit(vdi_deepspike *m, vdi_deepspike_data *data,
                                      vdi_deepspike_progress_fn fn, void *user, vdi_error *err) {
    for (;;) {
        vdi_deepspike_progress p;
        const vdi_status status = vdi_deepspike_step(m, data, &p, err);
        if (status == VDI_END) return VDI_OK;
        if (status < 0) return status;
        if (fn && !fn(&p, user)) return VDI_STOPPED;
    }
}
#endif
