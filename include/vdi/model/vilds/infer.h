/* model/vilds/infer.h - posteriors and bounds of a trained model
 *
 * Do this:
 *     vdi_vilds_query q = VDI__ZERO;
 *     q.refine = 8;                                   leave the network's start
 *     vdi_vilds_result out = VDI__ZERO;
 *     out.mean = mean;                                (trials,T,d)
 *     out.elbo = elbo;                                (trials) nats
 *     vdi_vilds_infer(model, data, &q, &out, &err);
 *     double per_bin;
 *     vdi_vilds_score(model, data, &q, &per_bin, &err);
 *
 * The posterior of each trial comes from the encoder in one pass; refine.h and natural.h improve
 * it. A refined posterior that is worse than its start, on the samples of the score or on others,
 * is discarded: refinement never lowers a bound. Without a trained encoder (`rest`, or after
 * vdi_vilds_fit_natural) it begins at mean 0, finds the mode by Newton's method, and continues from
 * Laplace's posterior there.
 * The importance-weighted bound is log 1/K sum_k p(y, z_k) / q(z_k), z_k ~ q (Burda et al. 2016):
 * it rises to log p(y) with K, and its work space does not grow with K.
 * Trials are processed in blocks of some 8000 bins; a longer trial goes through the networks in
 * strips, and its samples some at a time, so that only its observations and its posterior (some 30
 * d d numbers a bin) are in memory as a whole.
 * Memory: the first call of each kind grows the tape and the arena, later ones of the same shape
 * allocate nothing. Errors: statuses. Threads: one model per thread.
 */
#ifndef VDI_MODEL_VILDS_INFER_H
#define VDI_MODEL_VILDS_INFER_H
#include "refine.h"

/** How vdi_vilds_infer, score and predict run. Zero is the default of each field
 * (vdi_vilds_query_fields). */
typedef struct vdi_vilds_query {
    int64_t refine;  /**< natural-gradient steps of each trial's posterior: about 8, or 20 for a log
                          joint of one's own; from rest 0 means 20 */
    int64_t samples; /**< for the expected log likelihood where it has no closed form */
    int64_t iw;      /**< samples of the importance-weighted bound; 0: none */
    uint64_t seed;   /**< of the samples */
    int64_t nodes;   /**< of quadrature for each latent dimension, fewer for d > 3 */
    bool rest;       /**< refine from rest, not from the encoder's posterior */
    bool laplace;    /**< the posterior of Laplace: mode and curvature there */
} vdi_vilds_query;
/** Where vdi_vilds_infer writes; NULL members are not computed. All float64, zero beyond a trial's
 * length. */
typedef struct vdi_vilds_result {
    double *mean;   /**< (trials,T,d) */
    double *cov;    /**< (trials,T,d,d) */
    double *lagcov; /**< (trials,T-1,d,d): Cov(z_{t+1}, z_t) */
    double *sample; /**< (samples,trials,T,d) */
    double *rate;   /**< (trials,T,n): E_q of the mean of y; ready parts only */
    double *elbo;   /**< (trials) nats, all constants included */
    double *iw;     /**< (trials) importance-weighted bound */
} vdi_vilds_result;

/** Name, default, range and help of each field of a query. */
VDI_API const vdi_fields *vdi_vilds_query_fields(void);
/** The query with defaults filled in; `q` may be NULL. */
VDI_API vdi_vilds_query vdi_vilds_query_defaults(const vdi_vilds_query *q);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_vilds_query_check(const vdi_vilds_query *q, vdi_error *err);

/** The posterior of each trial. `q` may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_infer(vdi_vilds *m, vdi_vilds_data *data,
                                                 const vdi_vilds_query *q,
                                                 const vdi_vilds_result *out, vdi_error *err);
/** Mean ELBO per bin, nats, all channels summed. `q` may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_score(vdi_vilds *m, vdi_vilds_data *data,
                                                 const vdi_vilds_query *q, double *elbo_per_bin,
                                                 vdi_error *err);

#endif /* VDI_MODEL_VILDS_INFER_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_INFER_C)
#define VDI_MODEL_VILDS_INFER_C

enum {
    VDI__VILDS_BLOCK = 64,        /* most trials that are worked on together, */
    VDI__VILDS_BINS = 8192,       /* and most bins, unless one trial has more */
    VDI__VILDS_STRIP = 2048,      /* bins of such a trial that go through the networks together */
    VDI__VILDS_STEP_SAMPLES = 32, /* most samples of a step of refinement */
    VDI__VILDS_IW_CHUNK = 4       /* groups of importance samples after which the tape is cleared */
};

/* ======== what is asked ======================================================================= */

VDI__DEF const vdi_fields *vdi_vilds_query_fields(void) {
    static const vdi_field rows[] = {
        VDI_FIELD_INT(vdi_vilds_query, refine, 0, 0, 1000000,
                      "steps that refine each trial's posterior"),
        VDI_FIELD_INT(vdi_vilds_query, samples, 16, 1, 1000000,
                      "samples of the bound, where it has no closed form"),
        VDI_FIELD_INT(vdi_vilds_query, iw, 0, 0, 1e9,
                      "samples of the importance-weighted bound; 0: none"),
        VDI_FIELD_SEED(vdi_vilds_query, seed, "of the samples"),
        VDI_FIELD_INT(vdi_vilds_query, nodes, 7, 1, VDI_GAUSS_HERMITE_MAX,
                      "of quadrature for each latent dimension"),
        VDI_FIELD_BOOL(vdi_vilds_query, rest, "refine from rest, not from the encoder's posterior"),
        VDI_FIELD_BOOL(vdi_vilds_query, laplace, "mode and curvature there as the posterior"),
    };
    static const vdi_fields fields = {"vdi_vilds_query", rows, (int)VDI__COUNT(rows)};
    return &fields;
}

VDI__DEF vdi_vilds_query vdi_vilds_query_defaults(const vdi_vilds_query *q) {
    vdi_vilds_query r = VDI__ZERO;
    if (q) r = *q;
    vdi_fields_fill(vdi_vilds_query_fields(), &r);
    return r;
}

VDI__DEF vdi_status vdi_vilds_query_check(const vdi_vilds_query *q, vdi_error *err) {
    const vdi_vilds_query filled = vdi_vilds_query_defaults(q);
    return vdi_fields_check(vdi_vilds_query_fields(), &filled, err);
}

/* The query that a call works with, of data that fit the model. */
VDI__FN vdi_status vdi__vilds_ask(const vdi_vilds *m, const vdi_vilds_data *data,
                                  const vdi_vilds_query *query, const char *where,
                                  vdi_vilds_query *q, vdi_error *err) {
    const vdi_status status = vdi__vilds_fits(m, data, where, err);
    *q = vdi_vilds_query_defaults(query);
    return status < 0 ? status : vdi_vilds_query_check(q, err);
}

/* ======== posteriors of items ================================================================= */

/* A batch of items with its posterior on the tape, and what that was made from. */
typedef struct vdi__vilds_answer {
    vdi__vilds_batch b;
    vdi__vilds_q q;
    double *out; /* (B,T,outputs): the encoder's output or, if natural, natural parameters */
    int64_t outputs;
    bool natural;
    bool given; /* q is `gauss`, whatever `out` is */
    vdi__gauss gauss;
} vdi__vilds_answer;

VDI__FN bool vdi__vilds_refines_naturally(const vdi_vilds *m) {
    return vdi__family_of(m->desc.posterior)->natural && !m->desc.log_joint && m->at.transition < 0;
}

/* q on the tape, which is cleared first. */
VDI__FN vdi_status vdi__vilds_answer_build(vdi_vilds *m, vdi__vilds_answer *a, vdi_error *err) {
    const int64_t B = a->b.info.trials, T = a->b.info.T, d = m->desc.d;
    vdi_tape_reset(m->tape);
    if (a->given) {
        vdi__vilds_posterior_of(m, &a->b, vdi_tensor_4d(a->gauss.D, VDI_F64, B, T, d, d),
                                vdi_tensor_4d(a->gauss.E, VDI_F64, B, T - 1, d, d),
                                vdi_tensor_3d(a->gauss.mean, VDI_F64, B, T, d), &a->q);
        return vdi_tape_status(m->tape, err);
    }
    vdi_var out = vdi_tape_constant(m->tape, vdi_tensor_3d(a->out, VDI_F64, B, T, a->outputs));
    vdi__vilds_posterior(m, &a->b, out, a->natural, true, &a->q);
    return vdi_tape_status(m->tape, err);
}

/* Bins from .. from + length of the encoder's output of an item, which is encoded with the
 * neighbours that the encoder looks at. */
VDI__FN vdi_status vdi__vilds_encode_strip(vdi_vilds *m, vdi_vilds_data *data,
                                           const vdi__vilds_item *item, int64_t from,
                                           int64_t length, int64_t outputs, double *out,
                                           vdi_error *err) {
    const int64_t first = VDI__MAX(from - m->desc.reach, (int64_t)0);
    const int64_t last = VDI__MIN(from + length + m->desc.reach, item->length);
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    vdi__vilds_item it = *item;
    vdi__vilds_batch b;
    it.first += first;
    it.length = last - first;
    vdi_tape_reset(m->tape);
    vdi_status status = vdi__vilds_pack(m, data, &it, 1, NULL, false, &b, err);
    if (status < 0) return status;
    vdi_var v = vdi__vilds_encode(m, &b);
    status = vdi_tape_status(m->tape, err);
    if (status < 0) return status;
    memcpy(out + from * outputs,
           (const double *)vdi_tape_value(m->tape, v).data + (from - first) * outputs,
           (size_t)(length * outputs) * sizeof *out);
    vdi_arena_rewind(&m->arena, mark);
    return VDI_OK;
}

/* The encoder's output into the arena. */
VDI__FN vdi_status vdi__vilds_answer_encode(vdi_vilds *m, vdi_vilds_data *data,
                                            const vdi__vilds_item *item, vdi__vilds_answer *a,
                                            vdi_error *err) {
    const int64_t B = a->b.info.trials, T = a->b.info.T;
    a->outputs = vdi__family_of(m->desc.posterior)->outputs(m->desc.d);
    const size_t bytes = (size_t)(B * T * a->outputs) * sizeof(double);
    a->out = (double *)vdi_arena_alloc(&m->arena, bytes);
    if (!a->out) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    vdi_status status = VDI_OK;
    if (B == 1 && T > VDI__VILDS_BINS) {
        for (int64_t from = 0; from < T && status >= 0; from += VDI__VILDS_STRIP) {
            const int64_t length = VDI__MIN((int64_t)VDI__VILDS_STRIP, T - from);
            status = vdi__vilds_encode_strip(m, data, item, from, length, a->outputs, a->out, err);
        }
        return status;
    }
    vdi_var out = vdi__vilds_encode(m, &a->b);
    status = vdi_tape_status(m->tape, err);
    if (status >= 0) memcpy(a->out, vdi_tape_value(m->tape, out).data, bytes);
    return status;
}

/* ---- a posterior as blocks ------------------------------------------------------------------- */

/* q as it stands on the tape into the answer's Gaussian. */
VDI__FN void vdi__vilds_answer_open(vdi_vilds *m, vdi__vilds_answer *a) {
    const int64_t d = m->desc.d, T = a->b.info.T, step = T * d;
    const double *D = (const double *)vdi_tape_value(m->tape, a->q.D).data;
    const double *E = T > 1 ? (const double *)vdi_tape_value(m->tape, a->q.E).data : NULL;
    const double *mean = (const double *)vdi_tape_value(m->tape, a->q.mean).data;
    for (int64_t i = 0; i < a->b.info.trials; i++) {
        vdi__gauss_copy(D + i * step * d, E ? E + i * (T - 1) * d * d : NULL, mean + i * step, d,
                        a->b.info.length[i], a->gauss.D + i * step * d,
                        a->gauss.E + i * (T - 1) * d * d, a->gauss.mean + i * step);
    }
}

/* What vdi_vilds_fit_natural left these trials with. */
VDI__FN void vdi__vilds_answer_recall(const vdi_vilds *m, const vdi_vilds_data *data,
                                      vdi__vilds_answer *a) {
    const int64_t d = m->desc.d, T = data->T * d, to = a->b.info.T * d;
    for (int64_t i = 0; i < a->b.info.trials; i++) {
        const int64_t k = a->b.info.trial[i];
        vdi__gauss_copy(data->D + k * T * d, data->E + k * T * d, data->m + k * T, d,
                        a->b.info.length[i], a->gauss.D + i * to * d, a->gauss.E + i * (to - d) * d,
                        a->gauss.mean + i * to);
    }
}

/* The bound of each trial of an answer over normals of stream `what`: (B), in the arena. */
VDI__FN vdi_status vdi__vilds_answer_bounds(vdi_vilds *m, vdi__vilds_answer *a,
                                            const vdi_vilds_query *q, int64_t what, double *bound,
                                            vdi_error *err) {
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    vdi_tensor eps = vdi__no_tensor();
    vdi_status status = vdi__vilds_answer_build(m, a, err);
    if (status < 0) return status;
    if (!vdi__vilds_closed(m)) {
        eps = vdi__vilds_eps(m, &a->b, q->samples, q->seed, VDI__VILDS_RNG_SCORE, what);
        if (!vdi_tensor_ok(eps))
            return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    }
    vdi__vilds_bound(m, &a->b, eps, &a->q);
    status = vdi_tape_status(m->tape, err);
    if (status >= 0) {
        memcpy(bound, vdi_tape_value(m->tape, a->q.elbo).data,
               (size_t)a->b.info.trials * sizeof *bound);
    }
    vdi_arena_rewind(&m->arena, mark);
    return status;
}

/* Trials whose bound did not rise, over the normals of the score or over others, are as in `start`
 * again. */
VDI__FN vdi_status vdi__vilds_answer_decide(vdi_vilds *m, vdi__vilds_answer *a,
                                            const vdi_vilds_query *q, vdi__gauss *start,
                                            vdi_error *err) {
    static const int64_t streams[2] = {0, (int64_t)1 << 30};
    const int64_t B = a->b.info.trials;
    double *bound = (double *)vdi_arena_alloc(&m->arena, (size_t)(4 * B) * sizeof *bound);
    vdi__vilds_answer before = *a;
    vdi_status status = VDI_OK;
    if (!bound) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    before.gauss = *start;
    for (int k = 0; k < 2 && status >= 0; k++) {
        status = vdi__vilds_answer_bounds(m, a, q, streams[k], bound + 2 * k * B, err);
        /* a start without a bound is one that anything betters */
        if (status >= 0 && vdi__vilds_answer_bounds(m, &before, q, streams[k],
                                                    bound + (2 * k + 1) * B, NULL) < 0) {
            for (int64_t i = 0; i < B; i++)
                bound[(2 * k + 1) * B + i] = -HUGE_VAL;
        }
    }
    for (int64_t i = 0; i < B && status >= 0; i++) {
        if (bound[i] >= bound[B + i] && bound[2 * B + i] >= bound[3 * B + i]) continue;
        vdi__gauss_take(&a->b, m->desc.d, i, start, &a->gauss);
    }
    return status;
}

/* Natural-gradient steps from the network's posterior, what training left, or rest. */
VDI__FN vdi_status vdi__vilds_answer_refine(vdi_vilds *m, const vdi_vilds_data *data,
                                            const vdi_vilds_query *q, bool whole,
                                            vdi__vilds_answer *a, vdi_error *err) {
    const bool kept = data->D && whole && !q->rest, rest = !kept && (q->rest || m->rests);
    const int64_t steps = rest && !q->refine ? 20 : q->refine, mode = q->laplace ? 100 : 20;
    vdi__gauss start;
    vdi_status status = vdi__gauss_make(m, &a->b, &a->gauss, err);
    if (status >= 0) status = vdi__gauss_make(m, &a->b, &start, err);
    if (status >= 0 && !rest && !kept) {
        status = vdi__vilds_answer_build(m, a, err);
        if (status >= 0) vdi__vilds_answer_open(m, a);
    }
    if (status < 0) return status;
    if (kept) vdi__vilds_answer_recall(m, data, a);
    a->given = true;
    for (int64_t i = 0; i < a->b.info.trials; i++)
        vdi__gauss_take(&a->b, m->desc.d, i, &a->gauss, &start);
    if (rest || q->laplace) status = vdi__natural_laplace(m, &a->b, mode, &a->gauss, err);
    if (status < 0 || q->laplace || steps == 0) return status;
    const int64_t samples = VDI__MIN(q->samples, (int64_t)VDI__VILDS_STEP_SAMPLES);
    status = vdi__natural_refine(m, &a->b, steps, samples, q->seed, &a->gauss, err);
    return status < 0 || rest ? status : vdi__vilds_answer_decide(m, a, q, &start, err);
}

/* q of `count` items. Arena and tape are reset first, so `item` may not live there. The tape is one
 * without gradients. */
VDI__FN vdi_status vdi__vilds_answer_items(vdi_vilds *m, vdi_vilds_data *data,
                                           const vdi__vilds_item *item, int64_t count,
                                           const vdi_vilds_query *q, vdi__vilds_answer *a,
                                           vdi_error *err) {
    bool whole = true;
    vdi_arena_reset(&m->arena);
    vdi_tape_reset(m->tape);
    memset(a, 0, sizeof *a);
    for (int64_t i = 0; i < count; i++) {
        const vdi__vilds_item *it = &item[i];
        whole = whole && it->hide < 0 && it->length == data->length[it->trial];
    }
    vdi_status status = vdi__vilds_pack(m, data, item, count, NULL, false, &a->b, err);
    if (status >= 0) status = vdi__vilds_answer_encode(m, data, item, a, err);
    if (status < 0) return status;
    const bool steps = q->refine > 0 || q->laplace || q->rest || m->rests || (data->D && whole);
    if (steps &&
        (q->laplace || q->rest || m->rests || data->D || !vdi__vilds_refines_naturally(m))) {
        status = vdi__vilds_answer_refine(m, data, q, whole, a, err);
    } else if (steps) {
        a->natural = true;
        status = vdi__vilds_refine(m, &a->b, a->out, q->refine, q->nodes, &a->out, err);
    }
    return status < 0 ? status : vdi__vilds_answer_build(m, a, err);
}

/* ======== what is written ===================================================================== */

/* Trials from .. of the data are those of the answer. */
typedef struct vdi__vilds_block {
    vdi_vilds *m;
    const vdi_vilds_data *data;
    const vdi_vilds_query *query;
    const vdi_vilds_result *out;
    vdi__vilds_answer a;
    int64_t from, count;
} vdi__vilds_block;

/* (count,T_b,width) of the batch to (..,T,width) of the result, 0 behind each trial's length less
 * `less`. */
VDI__FN void vdi__vilds_write_bins(const vdi__vilds_block *k, vdi_var v, int64_t less,
                                   int64_t width, double *out) {
    const int64_t T = k->data->T - less, T_b = k->a.b.info.T - less;
    const double *from = (const double *)vdi_tape_value(k->m->tape, v).data;
    for (int64_t i = 0; i < k->count; i++) {
        const int64_t length = k->a.b.info.length[i] - less;
        double *to = out + (k->from + i) * T * width;
        memset(to, 0, (size_t)(T * width) * sizeof *to);
        if (length > 0) {
            memcpy(to, from + i * T_b * width, (size_t)(length * width) * sizeof *to);
        }
    }
}

VDI__FN void vdi__vilds_write_samples(const vdi__vilds_block *k) {
    const int64_t d = k->m->desc.d, T = k->data->T, T_b = k->a.b.info.T;
    const double *z = (const double *)vdi_tape_value(k->m->tape, k->a.q.z).data;
    for (int64_t s = 0; s < k->query->samples; s++) {
        for (int64_t i = 0; i < k->count; i++) {
            double *to = k->out->sample + (s * k->data->trials + k->from + i) * T * d;
            const size_t length = (size_t)k->a.b.info.length[i];
            memset(to, 0, (size_t)(T * d) * sizeof *to);
            memcpy(to, z + (s * k->count + i) * T_b * d, length * (size_t)d * sizeof *to);
        }
    }
}

/* E_q of the mean of y, from the samples. */
VDI__FN vdi_status vdi__vilds_write_rates(vdi__vilds_block *k, vdi_error *err) {
    vdi_vilds *m = k->m;
    const vdi__vilds_batch *b = &k->a.b;
    const int64_t n = m->desc.n, T = k->data->T, samples = k->query->samples;
    const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
    vdi__obs_numbers numbers;
    vdi_status status = vdi__vilds_obs_numbers(m, &numbers, err);
    vdi_tensor eta = vdi_tape_value(m->tape, vdi__vilds_decode(m, b, k->a.q.z, samples));
    if (status >= 0) status = vdi_tape_status(m->tape, err);
    for (int64_t i = 0; i < k->count && status >= 0; i++) {
        double *to = k->out->rate + (k->from + i) * T * n;
        const int64_t first = b->rows.first[i];
        memset(to, 0, (size_t)(T * n) * sizeof *to);
        for (int64_t c = 0; c < b->info.length[i] * n; c++) {
            double shift = 0;
            if (vdi_tensor_ok(b->offset))
                shift = vdi_dtype_load(eta.dtype, b->offset.data, first * n + c);
            for (int64_t s = 0; s < samples; s++) {
                const int64_t row = s * b->rows.rows + first;
                const double v = vdi_dtype_load(eta.dtype, eta.data, row * n + c);
                to[c] += obs->term(&numbers, c % n, 0, v, shift).mean / (double)samples;
            }
        }
    }
    return status;
}

/* ---- one long trial: strips of bins, some samples at a time ---------------------------------- */

/* Samples z (group,T,d) of a long trial, bins from .. from + length: E log p(y | z) of them, and
 * their share of the rates. */
VDI__FN vdi_status vdi__vilds_long_strip(vdi__vilds_block *k, const double *z, int64_t group,
                                         int64_t from, int64_t length, double *likelihood,
                                         vdi_error *err) {
    vdi_vilds *m = k->m;
    const int64_t d = m->desc.d, n = m->desc.n, T = k->a.b.info.T;
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
    vdi__vilds_item it = vdi__vilds_whole(k->data, k->from);
    vdi__vilds_batch b;
    vdi__obs_numbers numbers;
    it.first = from;
    it.length = length;
    vdi_tape_reset(m->tape);
    vdi_status status = vdi__vilds_pack(m, (vdi_vilds_data *)k->data, &it, 1, NULL, false, &b, err);
    if (status >= 0) status = vdi__vilds_obs_numbers(m, &numbers, err);
    double *part =
        (double *)vdi_arena_alloc(&m->arena, (size_t)(group * length * d) * sizeof *part);
    if (status >= 0 && !part)
        status = vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_infer", "no memory");
    if (status < 0) return status;
    for (int64_t s = 0; s < group; s++)
        memcpy(part + s * length * d, z + (s * T + from) * d, (size_t)(length * d) * sizeof *part);
    vdi_var v = vdi_tape_constant(m->tape, vdi_tensor_4d(part, VDI_F64, group, 1, length, d));
    vdi_var eta = vdi__vilds_decode(m, &b, v, group);
    vdi_var sums = vdi__vilds_likelihood(m, &b, eta, group);
    status = vdi_tape_status(m->tape, err);
    if (status < 0) return status;
    *likelihood += vdi_sum(VDI_F64, (size_t)group, vdi_tape_value(m->tape, sums).data);
    const vdi_tensor at = vdi_tape_value(m->tape, eta);
    double *rate = k->out->rate ? k->out->rate + (k->from * k->data->T + from) * n : NULL;
    for (int64_t i = 0; rate && i < group * length * n; i++) {
        const int64_t cell = i % (length * n);
        double shift = 0;
        if (vdi_tensor_ok(b.offset)) shift = vdi_dtype_load(at.dtype, b.offset.data, cell);
        const double value = vdi_dtype_load(at.dtype, at.data, i);
        rate[cell] +=
            obs->term(&numbers, cell % n, 0, value, shift).mean / (double)k->query->samples;
    }
    vdi_arena_rewind(&m->arena, mark);
    return VDI_OK;
}

/* Bound, samples and rates of a long trial whose q is on the tape. */
VDI__FN vdi_status vdi__vilds_write_long(vdi__vilds_block *k, vdi_error *err) {
    vdi_vilds *m = k->m;
    const int64_t d = m->desc.d, n = m->desc.n, T = k->a.b.info.T, S = k->query->samples;
    const int64_t most = VDI__MIN((int64_t)4, S);
    const size_t numbers = (size_t)(T * d);
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    vdi_rng rng = vdi__vilds_rng(k->query->seed, VDI__VILDS_RNG_SCORE, 0, k->a.b.info.trial[0]);
    double *z = (double *)vdi_arena_alloc(&m->arena, (size_t)most * numbers * sizeof *z);
    double sum = 0;
    if (!z) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_infer", "no memory");
    vdi__vilds_kl(m, &k->a.b, &k->a.q);
    vdi_status status = vdi_tape_status(m->tape, err);
    if (status < 0) return status;
    const double kl = *(const double *)vdi_tape_value(m->tape, k->a.q.kl).data;
    if (k->out->rate) {
        memset(k->out->rate + k->from * k->data->T * n, 0,
               (size_t)(k->data->T * n) * sizeof *k->out->rate);
    }
    for (int64_t done = 0, group = 0; done < S && status >= 0; done += group) {
        group = VDI__MIN(most, S - done);
        vdi_rng_fill_normal(&rng, VDI_F64, group * T * d, z);
        status = vdi__vilds_answer_build(m, &k->a, err);
        if (status < 0) return status;
        vdi_var v = vdi__vilds_sample(m, &k->a.q, vdi_tensor_4d(z, VDI_F64, group, 1, T, d));
        status = vdi_tape_status(m->tape, err);
        if (status < 0) return status;
        memcpy(z, vdi_tape_value(m->tape, v).data, (size_t)group * numbers * sizeof *z);
        for (int64_t s = 0; k->out->sample && s < group; s++) {
            double *to = k->out->sample + ((done + s) * k->data->trials + k->from) * k->data->T * d;
            memset(to, 0, (size_t)(k->data->T * d) * sizeof *to);
            memcpy(to, z + s * T * d, numbers * sizeof *to);
        }
        for (int64_t from = 0; from < T && status >= 0; from += VDI__VILDS_STRIP) {
            const int64_t length = VDI__MIN((int64_t)VDI__VILDS_STRIP, T - from);
            status = vdi__vilds_long_strip(k, z, group, from, length, &sum, err);
        }
    }
    const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
    const double constant = obs->apart ? k->a.b.constant[0] : 0;
    if (k->out->elbo) k->out->elbo[k->from] = sum / (double)S - constant - kl;
    vdi_arena_rewind(&m->arena, mark);
    return status;
}

/* Is it a trial that is worked on in strips? */
VDI__FN bool vdi__vilds_is_long(const vdi__vilds_block *k) {
    return k->count == 1 && k->a.b.info.T > VDI__VILDS_BINS && !k->m->desc.log_joint &&
           k->m->at.transition < 0;
}

/* Moments, bound, samples and rates, as far as they are wanted. */
VDI__FN vdi_status vdi__vilds_write(vdi__vilds_block *k, vdi_error *err) {
    vdi_vilds *m = k->m;
    const vdi_vilds_result *out = k->out;
    const int64_t d = m->desc.d;
    const vdi__vilds_q *q = &k->a.q;
    const bool needs_z = out->sample || out->rate || (out->elbo && !vdi__vilds_closed(m));
    if (out->mean) vdi__vilds_write_bins(k, q->mean, 0, d, out->mean);
    if (out->cov) vdi__vilds_write_bins(k, q->S, 0, d * d, out->cov);
    if (out->lagcov && k->data->T > 1) vdi__vilds_write_bins(k, q->O, 1, d * d, out->lagcov);
    if (!out->elbo && !needs_z) return VDI_OK;
    if (needs_z && vdi__vilds_is_long(k)) return vdi__vilds_write_long(k, err);
    vdi_tensor eps = vdi__no_tensor();
    if (needs_z) {
        eps =
            vdi__vilds_eps(m, &k->a.b, k->query->samples, k->query->seed, VDI__VILDS_RNG_SCORE, 0);
        if (!vdi_tensor_ok(eps)) {
            return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_infer",
                                 "no memory for %lld samples", (long long)k->query->samples);
        }
    }
    vdi__vilds_bound(m, &k->a.b, eps, &k->a.q);
    const vdi_status status = vdi_tape_status(m->tape, err);
    if (status < 0) return status;
    if (out->elbo) {
        memcpy(out->elbo + k->from, vdi_tape_value(m->tape, q->elbo).data,
               (size_t)k->count * sizeof *out->elbo);
    }
    if (out->sample) vdi__vilds_write_samples(k);
    return out->rate ? vdi__vilds_write_rates(k, err) : VDI_OK;
}

/* ======== the importance-weighted bound ======================================================= */

/* The weights of a group of samples into the sums, each kept about its largest exponent. A sample
 * where the density is 0 has no weight; one where it is not a number is an error. */
VDI__FN vdi_status vdi__vilds_add_weights(const vdi__vilds_block *k, vdi_var joint, vdi_tensor eps,
                                          int64_t group, double *top, double *sum, vdi_error *err) {
    vdi_tape *t = k->m->tape;
    const vdi__vilds_batch *b = &k->a.b;
    const vdi__obs_ops *obs = vdi__vilds_obs(&k->m->desc);
    const int64_t d = k->m->desc.d, T = b->info.T;
    const double *log_joint = (const double *)vdi_tape_value(t, joint).data;
    const double *logdet = (const double *)vdi_tape_value(t, k->a.q.logdet).data;
    for (int64_t s = 0; s < group; s++) {
        for (int64_t i = 0; i < k->count; i++) {
            const int64_t numbers = b->info.length[i] * d;
            const double *e = (const double *)eps.data + (s * k->count + i) * T * d;
            const double log_q =
                0.5 * (logdet[i] - vdi__vm_dot(numbers, e, e) - (double)numbers * VDI_LOG_2PI);
            const double constant = obs && obs->apart ? b->constant[i] : 0;
            const double w = log_joint[s * k->count + i] - constant - log_q;
            if (w == -HUGE_VAL) continue;
            if (!vdi__is_finite(w)) {
                return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_vilds_infer",
                                     "log p(y,z) of an importance sample of trial %lld is %g",
                                     (long long)b->info.trial[i], log_joint[s * k->count + i]);
            }
            if (w > top[i]) {
                sum[i] = sum[i] * exp(top[i] - w) + 1;
                top[i] = w;
            } else {
                sum[i] += exp(w - top[i]);
            }
        }
    }
    return VDI_OK;
}

/* Samples that are drawn together: by the size of the batch alone, so that the bits of an estimate
 * do not depend on how many there are. */
VDI__FN int64_t vdi__vilds_iw_group(const vdi__vilds_block *k) {
    const int64_t numbers = k->a.b.info.trials * k->a.b.info.T * k->m->desc.d;
    return VDI__MIN(VDI__MAX((int64_t)VDI__NATURAL_NUMBERS / numbers, (int64_t)1), (int64_t)64);
}

VDI__FN vdi_status vdi__vilds_write_iw(vdi__vilds_block *k, vdi_error *err) {
    vdi_vilds *m = k->m;
    const int64_t samples = k->query->iw, most = vdi__vilds_iw_group(k);
    double *top = (double *)vdi_arena_alloc(&m->arena, (size_t)(2 * k->count) * sizeof *top);
    if (!top) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_infer", "no memory");
    double *sum = top + k->count;
    vdi_status status = VDI_OK;
    for (int64_t i = 0; i < k->count; i++) {
        top[i] = -HUGE_VAL;
        sum[i] = 0;
    }
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    for (int64_t done = 0, group = 0; done < samples && status >= 0; done += group) {
        /* now and then the tape begins again with q alone */
        if (done > 0 && done % (VDI__VILDS_IW_CHUNK * most) == 0) {
            status = vdi__vilds_answer_build(m, &k->a, err);
            if (status < 0) return status;
        }
        group = VDI__MIN(most, samples - done);
        vdi_tensor eps =
            vdi__vilds_eps(m, &k->a.b, group, k->query->seed, VDI__VILDS_RNG_SCORE, 1 + done);
        if (!vdi_tensor_ok(eps))
            return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_infer", "no memory");
        vdi_var z = vdi__vilds_sample(m, &k->a.q, eps);
        vdi_var joint = vdi__vilds_log_joint(m, &k->a.b, &k->a.q.prior, z, group, false);
        status = vdi_tape_status(m->tape, err);
        if (status < 0) return status;
        status = vdi__vilds_add_weights(k, joint, eps, group, top, sum, err);
        vdi_arena_rewind(&m->arena, mark);
    }
    for (int64_t i = 0; i < k->count && status >= 0; i++)
        k->out->iw[k->from + i] = top[i] + log(sum[i] / (double)samples);
    return status;
}

/* ======== all trials ========================================================================== */

VDI__DEF vdi_status vdi_vilds_infer(vdi_vilds *m, vdi_vilds_data *data,
                                    const vdi_vilds_query *query, const vdi_vilds_result *out,
                                    vdi_error *err) {
    static const char where[] = "vdi_vilds_infer";
    const int64_t fit = VDI__MAX((int64_t)1, VDI__VILDS_BINS / data->T);
    const int64_t most = VDI__MIN(VDI__MIN(m->desc.train.batch, fit), (int64_t)VDI__VILDS_BLOCK);
    vdi__vilds_item item[VDI__VILDS_BLOCK];
    vdi_vilds_query q;
    vdi__vilds_block k;
    vdi_status status = vdi__vilds_ask(m, data, query, where, &q, err);
    if (status < 0) return status;
    if (out->rate && m->desc.log_joint)
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where, "a user's log joint has no rates");
    k.m = m;
    k.data = data;
    k.query = &q;
    k.out = out;
    const bool old = vdi_tape_set_no_grad(m->tape, true);
    for (k.from = 0; k.from < data->trials && status >= 0; k.from += most) {
        k.count = VDI__MIN(most, data->trials - k.from);
        for (int64_t i = 0; i < k.count; i++)
            item[i] = vdi__vilds_whole(data, k.from + i);
        status = vdi__vilds_answer_items(m, data, item, k.count, &q, &k.a, err);
        if (status >= 0) status = vdi__vilds_write(&k, err);
        if (status >= 0 && out->iw && q.iw > 0) status = vdi__vilds_write_iw(&k, err);
    }
    (void)vdi_tape_set_no_grad(m->tape, old);
    return status;
}

VDI__DEF vdi_status vdi_vilds_score(vdi_vilds *m, vdi_vilds_data *data, const vdi_vilds_query *q,
                                    double *elbo_per_bin, vdi_error *err) {
    vdi_vilds_result out = VDI__ZERO;
    double sum = 0;
    out.elbo = data->per_trial;
    const vdi_status status = vdi_vilds_infer(m, data, q, &out, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < data->trials; i++)
        sum += out.elbo[i];
    *elbo_per_bin = sum / (double)data->total;
    vdi__joint_doubt(m, "vdi_vilds_score", *elbo_per_bin);
    return VDI_OK;
}

VDI__FN vdi_status vdi__vilds_elbo_all(vdi_vilds *m, vdi_vilds_data *data, int64_t samples,
                                       uint64_t seed, double *per_bin, vdi_error *err) {
    vdi_vilds_query q = VDI__ZERO;
    q.samples = samples;
    q.seed = seed;
    return vdi_vilds_score(m, data, &q, per_bin, err);
}
#endif
