/* model/vilds/particle.h - log p(y) itself, by particles that the posterior guides
 *
 * Do this:
 *     vdi_vilds_particles p = VDI__ZERO;
 *     p.count = 1000;
 *     double log_p[TRIALS], se[TRIALS];
 *     vdi_vilds_query q = VDI__ZERO;
 *     q.refine = 20;
 *     vdi_vilds_log_p(model, data, &q, &p, log_p, se, &err);    nats, and their standard errors
 *
 * Sequential Monte Carlo twisted by q = N(m, J^{-1}) (Guarniero, Johansen and Lee 2017). Particles
 * are proposed from q(z_t | z_{t-1}) and weighted towards
 *
 *     gamma_t(z_1..z_t) = p(y, z_1..z_t, x_{t+1}..x_T) / q(x_{t+1}..x_T | z_t)
 *
 * with x the expected path of q after z_t for eight bins, and m beyond them. So the weights include
 * all that q says about the future: if q were the posterior, all weights would be equal.
 * gamma_T is p(y, z), so the estimate of p(y) is unbiased whatever q is.
 * The weight of a step is a difference of two log joints whose paths differ in a few bins from t
 * on. As log p(y, z) factors over neighbouring bins they are taken on a window of the trial; what a
 * log joint says of the window's first bin cancels.
 * `runs` independent filters give the mean and its standard error; within each, particles are
 * resampled (systematically) when their effective number is below half.
 * What it does NOT do: log joints that reach further than to the next bin, or that depend on how
 * many bins there are.
 * Memory: of the model's arena, in proportion to count x runs. Errors: statuses. Threads: one model
 * per thread.
 */
#ifndef VDI_MODEL_VILDS_PARTICLE_H
#define VDI_MODEL_VILDS_PARTICLE_H
#include "infer.h"

/** How many particles. Zero is the default of each field. */
typedef struct vdi_vilds_particles {
    int64_t count; /**< of each run */
    int64_t runs;  /**< independent estimates of each trial; their scatter is the error */
    uint64_t seed; /**< of everything random */
} vdi_vilds_particles;

/** Name, default, range and help of each field. */
VDI_API const vdi_fields *vdi_vilds_particles_fields(void);
/** The description with defaults filled in; NULL is all defaults. */
VDI_API vdi_vilds_particles vdi_vilds_particles_defaults(const vdi_vilds_particles *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the offending field. */
VDI_API vdi_status vdi_vilds_particles_check(const vdi_vilds_particles *desc, vdi_error *err);
/** log p(y) of each trial (trials), nats, all constants included, and its standard error (trials)
 * or
 * NULL. q is that of vdi_vilds_infer; `q` and `particles` may be NULL. */
VDI_API VDI_NODISCARD vdi_status vdi_vilds_log_p(vdi_vilds *m, vdi_vilds_data *data,
                                                 const vdi_vilds_query *q,
                                                 const vdi_vilds_particles *particles,
                                                 double *log_p, double *se, vdi_error *err);

#endif /* VDI_MODEL_VILDS_PARTICLE_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_PARTICLE_C)
#define VDI_MODEL_VILDS_PARTICLE_C

VDI__DEF const vdi_fields *vdi_vilds_particles_fields(void) {
    static const vdi_field rows[] = {
        VDI_FIELD_INT(vdi_vilds_particles, count, 500, 1, 10000000, "particles of each run"),
        VDI_FIELD_INT(vdi_vilds_particles, runs, 4, 2, 10000,
                      "independent estimates of log p(y); their scatter is the standard error"),
        VDI_FIELD_SEED(vdi_vilds_particles, seed, "of the particles"),
    };
    static const vdi_fields fields = {"vdi_vilds_particles", rows, (int)VDI__COUNT(rows)};
    return &fields;
}

VDI__DEF vdi_vilds_particles vdi_vilds_particles_defaults(const vdi_vilds_particles *desc) {
    vdi_vilds_particles d = VDI__ZERO;
    if (desc) d = *desc;
    vdi_fields_fill(vdi_vilds_particles_fields(), &d);
    return d;
}

VDI__DEF vdi_status vdi_vilds_particles_check(const vdi_vilds_particles *desc, vdi_error *err) {
    const vdi_vilds_particles filled = vdi_vilds_particles_defaults(desc);
    return vdi_fields_check(vdi_vilds_particles_fields(), &filled, err);
}

enum { VDI__SWARM_AHEAD = 8 }; /* bins of the path on which q expects a particle to go on */

/* ======== q as a Markov chain ================================================================= */

enum { VDI__SWARM_BLOCK = VDI__VILDS_BLOCK / 2 }; /* trials at once: they are on the stack */

/* The particles of a block of trials. z_{t+1} | z_t ~ N(m_{t+1} - W_t (z_t - m_t), (L L')^{-1})
 * with
 * L of bin t+1; P of a trial: all runs, one behind another. */
typedef struct vdi__swarm {
    vdi_vilds *m;
    vdi_vilds_data *data;
    vdi_vilds_particles desc;
    int64_t from, B, T, d, P;
    int64_t length[VDI__SWARM_BLOCK];
    double *L, *W, *mean;       /* (B,T,d,d), (B,T,d,d), (B,T,d) */
    double *z, *to;             /* (B,P,d): the last bin's, and this bin's */
    double *weight, *log_q, *r; /* (B,P): log weights, log q(to | z), what q says of the future */
    double *value;              /* (B,P): the two log joints' difference */
    double *log_p;              /* (B,runs) */
    int64_t *ancestor;          /* (count) */
    vdi_rng *rng;               /* (B,runs) */
    bool traced;                /* where particles came from is kept: */
    double *past;               /* (T,B,P,d): as they were proposed */
    int64_t *parent;            /* (T,B,P): which of these a particle became in resampling */
} vdi__swarm;

VDI__FN vdi_status vdi__swarm_chain(vdi__swarm *w, const vdi__gauss *q, vdi_error *err) {
    const int64_t d = w->d, dd = d * d, T = w->T;
    for (int64_t i = 0; i < w->B; i++) {
        for (int64_t t = w->length[i] - 1; t >= 0; t--) {
            const double *E = q->E + (i * (T - 1) + t) * dd;
            double *L = w->L + (i * T + t) * dd, *W = w->W + (i * T + t) * dd;
            memcpy(L, q->D + (i * T + t) * dd, (size_t)dd * sizeof *L);
            if (t + 1 < w->length[i]) { /* D_t - E'(L L')^{-1} E, L of the next bin */
                memcpy(W, E, (size_t)dd * sizeof *W);
                vdi_cholesky_solve(VDI_F64, (size_t)d, (size_t)d, L + dd, (size_t)d, W, (size_t)d);
                vdi__vm_mul(d, -1, E, true, W, false, L);
            }
            const vdi_status status = vdi_cholesky(VDI_F64, (size_t)d, L, (size_t)d, err);
            if (status < 0) return status;
        }
    }
    memcpy(w->mean, q->mean, (size_t)(w->B * T * d) * sizeof *w->mean);
    return VDI_OK;
}

/* One particle of trial i from z (bin t-1) to bin t: log q of it. */
VDI__FN double vdi__swarm_move(const vdi__swarm *w, int64_t i, int64_t t, const double *z,
                               vdi_rng *rng, double *to) {
    const int64_t d = w->d, dd = d * d, at = i * w->T + t;
    const double *L = w->L + at * dd, *mean = w->mean + at * d;
    double log_q = 0;
    for (int64_t k = d - 1; k >= 0; k--) { /* L' x = eps */
        const double eps = vdi_rng_normal(rng);
        double x = eps;
        for (int64_t l = k + 1; l < d; l++)
            x -= L[l * d + k] * to[l];
        to[k] = x / L[k * d + k];
        log_q += log(L[k * d + k]) - 0.5 * (eps * eps + VDI_LOG_2PI);
    }
    for (int64_t k = 0; k < d; k++) {
        to[k] += mean[k];
        for (int64_t l = 0; t > 0 && l < d; l++)
            to[k] -= (w->W - dd)[at * dd + k * d + l] * (z[l] - (mean - d)[l]);
    }
    return log_q;
}

/* The path on which q expects z of bin t to go on, for some bins: x (bins, d), which may be NULL.
 * Returns -log q(m of the next bin | the path's last) but for a constant: (x - m)' E'(L L')^{-1} E
 * (x - m) / 2 = |L' W (x - m)|^2 / 2; 0 at the trial's end. */
VDI__FN double vdi__swarm_ahead(const vdi__swarm *w, int64_t i, int64_t t, const double *z,
                                double *x) {
    const int64_t d = w->d, dd = d * d, last = VDI__MIN(t + VDI__SWARM_AHEAD, w->length[i] - 1);
    double off[64], next[64], sum = 0;
    for (int64_t k = 0; k < d; k++)
        off[k] = z[k] - w->mean[(i * w->T + t) * d + k];
    for (int64_t s = t; s + 1 < w->length[i]; s++) {
        const int64_t at = i * w->T + s;
        memset(next, 0, (size_t)d * sizeof *next);
        vdi__vm_apply(d, -1, w->W + at * dd, false, off, next);
        if (s == last) break;
        memcpy(off, next, (size_t)d * sizeof *off);
        for (int64_t k = 0; x && k < d; k++)
            x[(s - t) * d + k] = w->mean[(at + 1) * d + k] + off[k];
    }
    if (last + 1 >= w->length[i]) return 0;
    const double *L = w->L + (i * w->T + last + 1) * dd;
    for (int64_t k = 0; k < d; k++) {
        double u = 0;
        for (int64_t l = k; l < d; l++)
            u += L[l * d + k] * next[l];
        sum += u * u;
    }
    return 0.5 * sum;
}

/* ======== the log joint on a window =========================================================== */

/* Trials that reach bin t: their windows, with the first bin of each in `begin`. */
VDI__FN int64_t vdi__swarm_windows(const vdi__swarm *w, int64_t t, vdi__vilds_item *item,
                                   int64_t *which) {
    int64_t count = 0;
    for (int64_t i = 0; i < w->B; i++) {
        if (t >= w->length[i]) continue;
        vdi__vilds_item it = vdi__vilds_whole(w->data, w->from + i);
        it.first = VDI__MAX(t - 2, (int64_t)0);
        it.length = VDI__MIN(t + 2 + VDI__SWARM_AHEAD, w->length[i]) - it.first;
        which[count] = i;
        item[count++] = it;
    }
    return count;
}

/* Two paths of particle p on the window of each trial: bins t-1 and t of the particle and then what
 * q expects; or bin t-1 and what q expects from there. */
VDI__FN void vdi__swarm_paths(const vdi__swarm *w, int64_t t, int64_t p,
                              const vdi__vilds_item *item, const int64_t *which, int64_t count,
                              int64_t T, double *path) {
    const int64_t d = w->d;
    const size_t bytes = (size_t)d * sizeof *path;
    memset(path, 0, 2 * (size_t)(count * T) * bytes);
    for (int64_t k = 0; k < 2 * count; k++) {
        const int64_t i = which[k % count], first = item[k % count].first;
        double *to = path + k * T * d;
        memcpy(to, w->mean + (i * w->T + first) * d, (size_t)item[k % count].length * bytes);
        const double *z = w->z + (i * w->P + p) * d, *now = w->to + (i * w->P + p) * d;
        if (t > 0) memcpy(to + (t - 1 - first) * d, z, bytes);
        if (k < count) memcpy(to + (t - first) * d, now, bytes);
        if (k < count)
            (void)vdi__swarm_ahead(w, i, t, now, to + (t + 1 - first) * d);
        else if (t > 0)
            (void)vdi__swarm_ahead(w, i, t - 1, z, to + (t - first) * d);
    }
}

/* w->value of all particles at bin t. */
VDI__FN vdi_status vdi__swarm_evaluate(vdi__swarm *w, int64_t t, vdi_error *err) {
    vdi_vilds *m = w->m;
    vdi__vilds_item item[VDI__SWARM_BLOCK];
    int64_t which[VDI__SWARM_BLOCK];
    const int64_t count = vdi__swarm_windows(w, t, item, which), d = w->d;
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    vdi__vilds_batch b;
    vdi_status status = vdi__vilds_pack(m, w->data, item, count, NULL, false, &b, err);
    if (status < 0) return status;
    const int64_t T = b.info.T, numbers = 2 * count * T * d;
    const int64_t most = VDI__MIN(VDI__MAX(VDI__NATURAL_NUMBERS / numbers, (int64_t)1), w->P);
    double *path = (double *)vdi_arena_alloc(&m->arena, (size_t)(most * numbers) * sizeof *path);
    if (!path) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_log_p", "no memory");
    const vdi_arena_mark here = vdi_arena_get_mark(&m->arena);
    for (int64_t p = 0; p < w->P && status >= 0; p += most) {
        const int64_t now = VDI__MIN(most, w->P - p);
        vdi_lds_vars prior;
        for (int64_t k = 0; k < now; k++)
            vdi__swarm_paths(w, t, p + k, item, which, count, T, path + k * numbers);
        vdi_tape_reset(m->tape);
        if (!m->desc.log_joint) (void)vdi__vilds_prior(m, &b, &m->at.prior, &prior);
        vdi_var z = vdi_tape_constant(m->tape, vdi_tensor_4d(path, VDI_F64, 2 * now, count, T, d));
        vdi_var joint = vdi__vilds_log_joint(m, &b, &prior, z, 2 * now, false);
        status = vdi_tape_status(m->tape, err);
        const double *v = (const double *)vdi_tape_value(m->tape, joint).data;
        for (int64_t k = 0; k < now * count && status >= 0; k++) {
            const double *pair = v + k / count * 2 * count + k % count;
            w->value[which[k % count] * w->P + p + k / count] = pair[0] - pair[count];
        }
        vdi_arena_rewind(&m->arena, here);
    }
    vdi_arena_rewind(&m->arena, mark);
    return status;
}

/* ======== weights ============================================================================= */

/* `count` of K particles by systematic sampling, whose weights have the sum `sum`. */
VDI__FN void vdi__swarm_choose(int64_t K, const double *weight, double sum, int64_t count,
                               vdi_rng *rng, int64_t *chosen) {
    const double u = vdi_rng_uniform(rng);
    double reach = weight[0];
    for (int64_t k = 0, from = 0; k < count; k++) {
        while (reach < ((double)k + u) * sum / (double)count && from < K - 1)
            reach += weight[++from];
        chosen[k] = from;
    }
}

/* Resampling of the particles of a run at bin t. */
VDI__FN void vdi__swarm_resample(vdi__swarm *w, int64_t t, int64_t first, double sum,
                                 vdi_rng *rng) {
    const int64_t K = w->desc.count, d = w->d;
    double *z = w->z + first * d, *to = w->to + first * d, *weight = w->weight + first;
    double *r = w->r + first;
    vdi__swarm_choose(K, weight, sum, K, rng, w->ancestor);
    for (int64_t k = 0; w->traced && k < K; k++)
        w->parent[t * w->B * w->P + first + k] = first + w->ancestor[k];
    for (int64_t k = 0; k < K; k++) {
        memcpy(z + k * d, to + w->ancestor[k] * d, (size_t)d * sizeof *z);
        w->value[first + k] = r[w->ancestor[k]];
    }
    memcpy(to, z, (size_t)(K * d) * sizeof *z);
    memcpy(r, w->value + first, (size_t)K * sizeof *r);
    memset(weight, 0, (size_t)K * sizeof *weight);
}

/* Run `run` of trial i at bin t: weights, the estimate, and resampling where it is due. */
VDI__FN vdi_status vdi__swarm_weigh(vdi__swarm *w, int64_t i, int64_t t, int64_t run,
                                    vdi_error *err) {
    const int64_t K = w->desc.count, first = i * w->P + run * K;
    double *weight = w->weight + first, top = -HUGE_VAL, before = 0, sum = 0, squares = 0;
    for (int64_t k = 0; k < K; k++) {
        const int64_t at = first + k;
        const double future = vdi__swarm_ahead(w, i, t, w->to + at * w->d, NULL);
        const double more = w->value[at] + future - w->r[at] - w->log_q[at];
        if (more != more || more == HUGE_VAL) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_vilds_log_p",
                                 "log p(y,z) of a particle is %g in trial %lld at bin %lld", more,
                                 (long long)(w->from + i), (long long)t);
        }
        before += exp(weight[k]);
        weight[k] += more;
        w->r[at] = future;
        top = VDI__MAX(top, weight[k]);
    }
    if (top == -HUGE_VAL) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_vilds_log_p",
                             "no particle of trial %lld has a density above 0 at bin %lld",
                             (long long)(w->from + i), (long long)t);
    }
    for (int64_t k = 0; k < K; k++) {
        weight[k] = exp(weight[k] - top);
        sum += weight[k];
        squares += weight[k] * weight[k];
    }
    w->log_p[i * w->desc.runs + run] += top + log(sum / before);
    if (sum * sum < 0.5 * (double)K * squares) {
        vdi__swarm_resample(w, t, first, sum, &w->rng[i * w->desc.runs + run]);
        return VDI_OK;
    }
    for (int64_t k = 0; k < K; k++) { /* the largest weight is 1, so that none overflows */
        weight[k] = log(weight[k]);
    }
    return VDI_OK;
}

VDI__FN void vdi__swarm_remember(vdi__swarm *w, int64_t t) {
    const int64_t all = w->B * w->P;
    memcpy(w->past + t * all * w->d, w->to, (size_t)(all * w->d) * sizeof *w->to);
    for (int64_t k = 0; k < all; k++)
        w->parent[t * all + k] = k;
}

VDI__FN vdi_status vdi__swarm_bin(vdi__swarm *w, int64_t t, vdi_error *err) {
    const int64_t K = w->desc.count, d = w->d;
    for (int64_t i = 0; i < w->B; i++) {
        for (int64_t p = 0; t < w->length[i] && p < w->P; p++) {
            const int64_t at = i * w->P + p;
            w->log_q[at] = vdi__swarm_move(w, i, t, w->z + at * d,
                                           &w->rng[i * w->desc.runs + p / K], w->to + at * d);
        }
    }
    if (w->traced) vdi__swarm_remember(w, t);
    vdi_status status = vdi__swarm_evaluate(w, t, err);
    for (int64_t i = 0; i < w->B && status >= 0; i++) {
        for (int64_t run = 0; t < w->length[i] && run < w->desc.runs && status >= 0; run++)
            status = vdi__swarm_weigh(w, i, t, run, err);
    }
    memcpy(w->z, w->to, (size_t)(w->B * w->P * d) * sizeof *w->z);
    return status;
}

/* ======== all trials ========================================================================== */

VDI__FN vdi_status vdi__swarm_reserve(vdi__swarm *w, vdi_error *err) {
    vdi_arena *a = &w->m->arena;
    const size_t real = sizeof(double), bins = (size_t)(w->B * w->T), d = (size_t)w->d;
    const size_t all = (size_t)(w->B * w->P), runs = (size_t)(w->B * w->desc.runs);
    w->L = (double *)vdi_arena_calloc(a, 2 * bins * d * d * real);
    w->mean = (double *)vdi_arena_alloc(a, bins * d * real);
    w->z = (double *)vdi_arena_calloc(a, 2 * all * d * real);
    w->weight = (double *)vdi_arena_calloc(a, 4 * all * real);
    w->log_p = (double *)vdi_arena_calloc(a, runs * real);
    w->ancestor = (int64_t *)vdi_arena_alloc(a, (size_t)w->desc.count * sizeof *w->ancestor);
    w->rng = (vdi_rng *)vdi_arena_alloc(a, runs * sizeof *w->rng);
    const size_t past = w->traced ? vdi_mul_size(all, (size_t)w->T) : 0;
    w->past = (double *)vdi_arena_alloc(a, vdi_mul_size(past, d * real));
    w->parent = (int64_t *)vdi_arena_alloc(a, vdi_mul_size(past, sizeof *w->parent));
    if (!w->L || !w->mean || !w->z || !w->weight || !w->log_p || !w->ancestor || !w->rng ||
        !w->past || !w->parent) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_log_p",
                             "no memory for %lld particles of %lld trials", (long long)w->P,
                             (long long)w->B);
    }
    w->W = w->L + bins * d * d;
    w->to = w->z + all * d;
    w->log_q = w->weight + all;
    w->r = w->log_q + all;
    w->value = w->r + all;
    for (size_t k = 0; k < runs; k++) {
        const int64_t trial = w->from + (int64_t)k / w->desc.runs;
        w->rng[k] =
            vdi__vilds_rng(w->desc.seed, VDI__VILDS_RNG_PARTICLE, (int64_t)k % w->desc.runs, trial);
    }
    return VDI_OK;
}

/* log p(y, m) of whole trials, where the estimates of all runs begin. */
VDI__FN vdi_status vdi__swarm_begin(vdi__swarm *w, vdi__vilds_batch *b, vdi_error *err) {
    vdi_vilds *m = w->m;
    vdi_lds_vars prior;
    const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
    vdi_tape_reset(m->tape);
    if (!m->desc.log_joint) (void)vdi__vilds_prior(m, b, &m->at.prior, &prior);
    vdi_var z = vdi_tape_constant(m->tape, vdi_tensor_4d(w->mean, VDI_F64, 1, w->B, w->T, w->d));
    vdi_var joint = vdi__vilds_log_joint(m, b, &prior, z, 1, true);
    const vdi_status status = vdi_tape_status(m->tape, err);
    const double *v = (const double *)vdi_tape_value(m->tape, joint).data;
    for (int64_t i = 0; i < w->B && status >= 0; i++) {
        const double constant = obs && obs->apart ? b->constant[i] : 0;
        for (int64_t run = 0; run < w->desc.runs; run++)
            w->log_p[i * w->desc.runs + run] = v[i] - constant;
    }
    return status;
}

/* The mean of a trial's estimates of p(y), as a logarithm, and its standard error. */
VDI__FN void vdi__swarm_result(const vdi__swarm *w, int64_t i, double *log_p, double *se) {
    const int64_t runs = w->desc.runs;
    const double *v = w->log_p + i * runs;
    double top = v[0], sum = 0, squares = 0;
    for (int64_t k = 1; k < runs; k++)
        top = VDI__MAX(top, v[k]);
    for (int64_t k = 0; k < runs; k++)
        sum += exp(v[k] - top);
    const double mean = sum / (double)runs;
    for (int64_t k = 0; k < runs; k++)
        squares += (exp(v[k] - top) / mean - 1) * (exp(v[k] - top) / mean - 1);
    *log_p = top + log(mean);
    if (se) *se = sqrt(squares / (double)(runs * (runs - 1)));
}

/* The filters of a batch along q. */
VDI__FN vdi_status vdi__swarm_filter(vdi__swarm *w, vdi__vilds_batch *b, const vdi__gauss *q,
                                     vdi_error *err) {
    w->T = b->info.T;
    vdi_status status = vdi__swarm_reserve(w, err);
    if (status >= 0) status = vdi__swarm_chain(w, q, err);
    if (status >= 0) status = vdi__swarm_begin(w, b, err);
    for (int64_t t = 0; t < w->T && status >= 0; t++)
        status = vdi__swarm_bin(w, t, err);
    return status;
}

/* z (samples,B,T,d): paths of particles, drawn by the weights that they end with. They are traced,
 * of one run; behind a trial's end there is what q has. */
VDI__FN void vdi__swarm_draw(vdi__swarm *w, int64_t samples, double *z, int64_t *chosen) {
    const int64_t T = w->T, d = w->d, all = w->B * w->P;
    const size_t bytes = (size_t)d * sizeof *z;
    for (int64_t i = 0; i < w->B; i++) {
        double *weight = w->weight + i * w->P, sum = 0;
        for (int64_t k = 0; k < w->P; k++)
            sum += weight[k] = exp(weight[k]);
        vdi__swarm_choose(w->P, weight, sum, samples, &w->rng[i], chosen);
        for (int64_t s = 0; s < samples; s++) {
            double *to = z + (s * w->B + i) * T * d;
            memcpy(to, w->mean + i * T * d, (size_t)T * bytes);
            for (int64_t t = w->length[i] - 1, k = i * w->P + chosen[s]; t >= 0; t--) {
                k = w->parent[t * all + k];
                memcpy(to + t * d, w->past + (t * all + k) * d, bytes);
            }
        }
    }
}

/* Trials w->from .. of which there are w->B. */
VDI__FN vdi_status vdi__swarm_run(vdi__swarm *w, const vdi_vilds_query *q, double *log_p,
                                  double *se, vdi_error *err) {
    vdi__vilds_item item[VDI__SWARM_BLOCK];
    vdi__vilds_answer a;
    for (int64_t i = 0; i < w->B; i++) {
        item[i] = vdi__vilds_whole(w->data, w->from + i);
        w->length[i] = item[i].length;
    }
    vdi_status status = vdi__vilds_answer_items(w->m, w->data, item, w->B, q, &a, err);
    if (status < 0) return status;
    if (!a.given) {
        status = vdi__gauss_make(w->m, &a.b, &a.gauss, err);
        if (status >= 0) vdi__vilds_answer_open(w->m, &a);
    }
    if (status >= 0) status = vdi__swarm_filter(w, &a.b, &a.gauss, err);
    for (int64_t i = 0; i < w->B && status >= 0; i++)
        vdi__swarm_result(w, i, log_p + w->from + i, se ? se + w->from + i : NULL);
    return status;
}

VDI__DEF vdi_status vdi_vilds_log_p(vdi_vilds *m, vdi_vilds_data *data,
                                    const vdi_vilds_query *query,
                                    const vdi_vilds_particles *particles, double *log_p, double *se,
                                    vdi_error *err) {
    vdi_vilds_query q;
    vdi__swarm w;
    vdi_status status = vdi__vilds_ask(m, data, query, "vdi_vilds_log_p", &q, err);
    memset(&w, 0, sizeof w);
    w.m = m;
    w.data = data;
    w.d = m->desc.d;
    w.desc = vdi_vilds_particles_defaults(particles);
    if (status >= 0) status = vdi_vilds_particles_check(&w.desc, err);
    if (status < 0) return status;
    w.P = w.desc.count * w.desc.runs;
    const int64_t room = VDI__MAX(((int64_t)1 << 20) / (w.P * w.d), (int64_t)1);
    const int64_t most = VDI__MIN(VDI__MIN(room, m->desc.train.batch), (int64_t)VDI__SWARM_BLOCK);
    const bool old = vdi_tape_set_no_grad(m->tape, true);
    for (w.from = 0; w.from < data->trials && status >= 0; w.from += most) {
        w.B = VDI__MIN(most, data->trials - w.from);
        status = vdi__swarm_run(&w, &q, log_p, se, err);
    }
    (void)vdi_tape_set_no_grad(m->tape, old);
    return status;
}
#endif
