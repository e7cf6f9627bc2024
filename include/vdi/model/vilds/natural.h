/* model/vilds/natural.h - the best Gaussian posterior of each trial, for any log joint that factors
 * over neighbouring bins
 *
 *     log p(y, z) = sum_t f_t(z_{t-1}, z_t, y),   q = N(m, J^{-1}),  J block-tridiagonal
 *
 * A step goes along the natural gradient of the bound (Khan and Lin 2017; Opper and Archambeau
 * 2009), with g = E_q grad log p(y, z) and the blocks H_tt, H_{t+1,t} of E_q of its Hessian:
 *
 *     J <- (1 - rho) J - rho H,      m <- m + rho J^{-1} g
 *
 * -H need not be positive semidefinite: rho of a trial is halved until J is positive definite, and
 * a step that lowers a trial's bound is undone and shortened. The expectations are means over
 * samples whose normals are stratified in each bin, come in pairs of opposite sign, and are drawn
 * anew at each step; in the second half of the steps rho falls, so that J becomes an average over
 * many of them.
 * The Hessian's blocks are differences of the tape's gradient: since f_t depends on two bins, bins
 * that are three apart are perturbed together, and 3 d gradients besides that of the sample give
 * all blocks of all trials. The perturbation is a hundredth of a posterior standard deviation, up
 * for one sample and down for the next, so that their error cancels to first order.
 * With expectations at the mean alone a step is one of Newton's method, and q is Laplace's.
 *
 * Where a log joint reaches further than to the next bin the steps are poor, but the bound is still
 * a bound.
 * Memory: of the model's arena; at most some 2^15 numbers go through the log joint at once, or
 * those of one sample of all trials.
 */
#ifndef VDI_MODEL_VILDS_NATURAL_H
#define VDI_MODEL_VILDS_NATURAL_H
#include "bound.h"
#endif /* VDI_MODEL_VILDS_NATURAL_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_NATURAL_C)
#define VDI_MODEL_VILDS_NATURAL_C

/* Numbers z that go through the log joint together. */
enum { VDI__NATURAL_NUMBERS = 1 << 15 };
/* Normals of a stratum, of which a sample takes one by chance. With one alone, a few samples would
 * have no tails, and an expectation of log densities that have would be off. */
enum { VDI__NATURAL_FINE = 32 };

/* ======== Gaussians over time ================================================================= */

/* N(mean, J^{-1}) for each trial of a batch, with the factor of J. */
typedef struct vdi__gauss {
    double *D, *E, *mean; /* (B,T,d,d), (B,T-1,d,d), (B,T,d) */
    double *logdet;       /* (B) */
    vdi_blocktri bt;
} vdi__gauss;

VDI__FN vdi_blocktri_desc vdi__gauss_shape(const vdi_vilds *m, const vdi__vilds_batch *b) {
    vdi_blocktri_desc desc = VDI__ZERO;
    desc.dtype = VDI_F64;
    desc.trials = b->info.trials;
    desc.T = b->info.T;
    desc.d = m->desc.d;
    desc.lengths = b->dense ? NULL : b->info.length;
    desc.pool = m->desc.pool;
    return desc;
}

/* All mean 0 and covariance I. */
VDI__FN vdi_status vdi__gauss_make(vdi_vilds *m, const vdi__vilds_batch *b, vdi__gauss *g,
                                   vdi_error *err) {
    const vdi_blocktri_desc desc = vdi__gauss_shape(m, b);
    const size_t bins = (size_t)(desc.trials * desc.T), d = (size_t)desc.d, real = sizeof(double);
    const size_t size = vdi_blocktri_memsize(&desc);
    memset(g, 0, sizeof *g);
    g->D = (double *)vdi_arena_calloc(&m->arena, bins * d * d * real);
    g->E = (double *)vdi_arena_calloc(&m->arena, bins * d * d * real);
    g->mean = (double *)vdi_arena_calloc(&m->arena, bins * d * real);
    g->logdet = (double *)vdi_arena_calloc(&m->arena, (size_t)desc.trials * real);
    void *memory = vdi_arena_alloc(&m->arena, size);
    if (!g->D || !g->E || !g->mean || !g->logdet || !memory)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory for a posterior");
    for (size_t i = 0; i < bins * d; i++)
        g->D[i * d + i % d] = 1;
    return vdi_blocktri_init(&g->bt, &desc, memory, size, err);
}

VDI__FN vdi_status vdi__gauss_factor(vdi__gauss *g, vdi_error *err) {
    const vdi_status status = vdi_blocktri_factor(&g->bt, g->D, g->bt.T > 1 ? g->E : NULL, err);
    if (status >= 0) vdi_blocktri_logdet(&g->bt, g->logdet);
    return status;
}

/* Trial i of a batch (B,T_from,..) into trial k of another (..,T_to,..), `length` bins of it. */
VDI__FN void vdi__gauss_copy(const double *D, const double *E, const double *mean, int64_t d,
                             int64_t length, double *D_to, double *E_to, double *mean_to) {
    const size_t dd = (size_t)(d * d), bins = (size_t)length;
    memcpy(D_to, D, bins * dd * sizeof *D);
    if (length > 1) memcpy(E_to, E, (bins - 1) * dd * sizeof *E);
    memcpy(mean_to, mean, bins * (size_t)d * sizeof *mean);
}

/* Trial i alone, from one Gaussian of a batch to another. */
VDI__FN void vdi__gauss_take(const vdi__vilds_batch *b, int64_t d, int64_t i,
                             const vdi__gauss *from, vdi__gauss *to) {
    const int64_t T = b->info.T, block = i * T * d * d, below = i * (T - 1) * d * d;
    vdi__gauss_copy(from->D + block, from->E + below, from->mean + i * T * d, d, b->info.length[i],
                    to->D + block, to->E + below, to->mean + i * T * d);
}

/* ======== the work of a step ================================================================== */

typedef struct vdi__natural {
    vdi_vilds *m;
    vdi__vilds_batch *b;
    int64_t samples, colours, paths; /* paths: that go through the log joint together */
    int64_t turn;                    /* steps so far */
    bool laplace;
    double *normal;           /* (samples,VDI__NATURAL_FINE): normals, stratum by stratum */
    int64_t *order;           /* (samples) */
    double *eps, *z;          /* (samples,B,T,d) */
    double *path, *value;     /* (paths,B,T,d), (paths,B) */
    double *S, *width;        /* (B,T,d,d), (B,T,d): differences */
    double *g, *HD, *HE;      /* (B,T,d), (B,T,d,d), (B,T-1,d,d): E grad and E Hessian */
    double *f, *f_next, *rho; /* (B) */
    void *one;                /* memory of a factor of one trial */
    size_t one_size;
    vdi__gauss now, next;
} vdi__natural;

VDI__FN int64_t vdi__natural_numbers(const vdi__natural *n) {
    return n->b->info.trials * n->b->info.T * n->m->desc.d;
}
/* Gradients of each sample. */
VDI__FN int64_t vdi__natural_each(const vdi__natural *n) { return 1 + n->colours * n->m->desc.d; }

/* The standard normal's quantile by bisection: a few numbers once. */
VDI__FN double vdi__natural_quantile(double p) {
    double low = -9, high = 9;
    for (int i = 0; i < 60; i++) {
        const double x = 0.5 * (low + high);
        if (0.5 * erfc(-x * 0.70710678118654752440) < p)
            low = x;
        else
            high = x;
    }
    return 0.5 * (low + high);
}

/* `count` numbers, a multiple of two: the middles of as many strata of the normal distribution,
 * scaled to variance 1. */
VDI__FN void vdi__natural_strata(int64_t count, double *normal) {
    double squares = 0;
    for (int64_t s = 0; s < count / 2; s++) {
        const double x = vdi__natural_quantile(((double)s + 0.5) / (double)count);
        normal[s] = x;
        normal[count - 1 - s] = -x;
        squares += 2 * x * x;
    }
    for (int64_t s = 0; s < count; s++)
        normal[s] *= sqrt((double)count / squares);
}

VDI__FN vdi_status vdi__natural_make(vdi_vilds *m, vdi__vilds_batch *b, int64_t samples,
                                     vdi__natural *n, vdi_error *err) {
    vdi_blocktri_desc desc = vdi__gauss_shape(m, b);
    const int64_t d = m->desc.d, B = b->info.trials, bins = B * b->info.T;
    vdi_arena *a = &m->arena;
    const size_t real = sizeof(double);
    memset(n, 0, sizeof *n);
    n->m = m;
    n->b = b;
    n->laplace = samples == 0;
    n->samples = VDI__MAX(samples, 1);
    n->colours = VDI__MIN(b->info.T, (int64_t)3);
    n->paths = VDI__MAX((int64_t)VDI__NATURAL_NUMBERS / (bins * d), (int64_t)1);
    n->paths = VDI__MIN(n->paths, n->samples * vdi__natural_each(n));
    desc.trials = 1;
    n->one_size = vdi_blocktri_memsize(&desc);
    const size_t S = (size_t)n->samples, P = (size_t)n->paths, trials = (size_t)B;
    const size_t vec = (size_t)(bins * d), mat = vec * (size_t)d;
    n->normal = (double *)vdi_arena_alloc(a, S * VDI__NATURAL_FINE * real);
    n->order = (int64_t *)vdi_arena_alloc(a, S * sizeof *n->order);
    n->eps = (double *)vdi_arena_calloc(a, S * vec * real);
    n->z = (double *)vdi_arena_calloc(a, S * vec * real);
    n->path = (double *)vdi_arena_calloc(a, P * vec * real);
    n->value = (double *)vdi_arena_alloc(a, P * trials * real);
    n->S = (double *)vdi_arena_calloc(a, 3 * mat * real);
    n->width = (double *)vdi_arena_calloc(a, 2 * vec * real);
    n->f = (double *)vdi_arena_calloc(a, 3 * trials * real);
    n->one = vdi_arena_alloc(a, n->one_size);
    if (!n->normal || !n->order || !n->eps || !n->z || !n->path || !n->value || !n->S ||
        !n->width || !n->f || !n->one) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory for %lld samples",
                             (long long)n->samples);
    }
    n->HD = n->S + mat;
    n->HE = n->HD + mat;
    n->g = n->width + vec;
    n->f_next = n->f + B;
    n->rho = n->f_next + B;
    for (int64_t i = 0; i < B; i++)
        n->rho[i] = 1;
    if (!n->laplace) vdi__natural_strata(n->samples * VDI__NATURAL_FINE, n->normal);
    vdi_status status = vdi__gauss_make(m, b, &n->now, err);
    return status < 0 ? status : vdi__gauss_make(m, b, &n->next, err);
}

/* Normals of step `step`: in each bin one of each stratum, in an order of its own, and in pairs of
 * opposite sign, so that their mean is 0 and a mean of a Gaussian log density has no noise. */
VDI__FN void vdi__natural_draw(vdi__natural *n, uint64_t seed, int64_t step) {
    const vdi__vilds_batch *b = n->b;
    const int64_t d = n->m->desc.d, numbers = vdi__natural_numbers(n);
    for (int64_t i = 0; i < b->info.trials && !n->laplace; i++) {
        vdi_rng rng = vdi__vilds_rng(seed, VDI__VILDS_RNG_NATURAL, step, b->info.trial[i]);
        double *eps = n->eps + i * b->info.T * d;
        for (int64_t k = 0; k < b->info.length[i] * d; k++) {
            vdi_rng_permutation(&rng, n->samples, n->order);
            for (int64_t s = 0; s < (n->samples + 1) / 2; s++) {
                const int64_t fine = (int64_t)(vdi_rng_u32(&rng) % VDI__NATURAL_FINE);
                const double x = n->normal[s * VDI__NATURAL_FINE + fine];
                eps[n->order[n->samples - 1 - s] * numbers + k] = -x;
                eps[n->order[s] * numbers + k] = x;
            }
        }
    }
}

VDI__FN void vdi__natural_place(vdi__natural *n, const vdi__gauss *q) {
    const int64_t numbers = vdi__natural_numbers(n);
    vdi_blocktri_sample(&q->bt, n->samples, n->eps, n->z);
    for (int64_t s = 0; s < n->samples; s++)
        vdi__vm_add(numbers, 1, q->mean, n->z + s * numbers);
}

/* The log joint of `count` paths, values into n->value; with `slope` also its gradient, which is
 * the tape's. `checked`: a value that is not finite is an error. */
VDI__FN vdi_status vdi__natural_run(vdi__natural *n, const double *z, int64_t count, bool checked,
                                    const double **slope, vdi_error *err) {
    vdi_vilds *m = n->m;
    vdi_tape *t = m->tape;
    const int64_t B = n->b->info.trials, T = n->b->info.T;
    vdi_lds_vars prior;
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    vdi_tape_reset(t);
    const bool old = vdi_tape_set_no_grad(t, slope == NULL);
    const bool frozen = vdi_tape_set_frozen(t, true);
    vdi_var v =
        vdi_tape_variable(t, vdi_tensor_4d((void *)(uintptr_t)z, VDI_F64, count, B, T, m->desc.d));
    vdi_var joint = vdi_var_none();
    if (m->desc.log_joint || vdi__vilds_prior(m, n->b, &m->at.prior, &prior) >= 0)
        joint = vdi__vilds_log_joint(m, n->b, &prior, v, count, checked);
    vdi_status status = vdi_tape_status(t, err);
    if (status >= 0) {
        memcpy(n->value, vdi_tape_value(t, joint).data, (size_t)(count * B) * sizeof *n->value);
        if (slope) status = vdi_tape_backward(t, vdi_var_sum(t, joint));
        if (slope) *slope = (const double *)vdi_tape_grad(t, v).data;
        if (status < 0) (void)vdi_tape_status(t, err);
    }
    (void)vdi_tape_set_no_grad(t, old);
    (void)vdi_tape_set_frozen(t, frozen);
    vdi_arena_rewind(&m->arena, mark);
    return status;
}

/* E_q log p(y,z) of each trial over the samples n->z. */
VDI__FN vdi_status vdi__natural_values(vdi__natural *n, double *f, vdi_error *err) {
    const int64_t B = n->b->info.trials, numbers = vdi__natural_numbers(n);
    vdi_status status = VDI_OK;
    memset(f, 0, (size_t)B * sizeof *f);
    for (int64_t s = 0; s < n->samples && status >= 0; s += n->paths) {
        const int64_t count = VDI__MIN(n->paths, n->samples - s);
        status = vdi__natural_run(n, n->z + s * numbers, count, false, NULL, err);
        for (int64_t i = 0; i < count * B && status >= 0; i++)
            f[i % B] += n->value[i] / (double)n->samples;
    }
    return status;
}

/* The bound of each trial, without what no q changes; at the mean alone the log joint itself. */
VDI__FN void vdi__natural_bounds(const vdi__natural *n, const vdi__gauss *q, double *f) {
    for (int64_t i = 0; i < n->b->info.trials && !n->laplace; i++)
        f[i] -= 0.5 * q->logdet[i];
}

/* ======== expectations of gradient and Hessian ================================================ */

/* Which path number `index` is: a sample itself, or one moved along axis k in the bins of a
 * colour. */
typedef struct vdi__natural_path {
    int64_t sample, colour, k; /* k < 0: the sample itself */
    double sign;               /* of the differences of this sample */
} vdi__natural_path;

VDI__FN vdi__natural_path vdi__natural_which(const vdi__natural *n, int64_t index) {
    const int64_t each = vdi__natural_each(n), at = index % each - 1, d = n->m->desc.d;
    vdi__natural_path p;
    p.sample = index / each;
    p.colour = at < 0 ? 0 : at / d;
    p.k = at < 0 ? -1 : at % d;
    p.sign = (p.sample + n->turn) % 2 ? -1 : 1;
    return p;
}

VDI__FN void vdi__natural_move(const vdi__natural *n, vdi__natural_path p, double *path) {
    const vdi__vilds_batch *b = n->b;
    const int64_t d = n->m->desc.d, numbers = vdi__natural_numbers(n);
    memcpy(path, n->z + p.sample * numbers, (size_t)numbers * sizeof *path);
    for (int64_t i = 0; i < b->info.trials && p.k >= 0; i++) {
        for (int64_t t = p.colour; t < b->info.length[i]; t += n->colours) {
            const int64_t at = (i * b->info.T + t) * d + p.k;
            path[at] += p.sign * n->width[at];
        }
    }
}

/* `scale` times the slope of a path, over the width of the difference along axis k, into column k
 * of the blocks of bins first, first + stride .. Both H_tt and H_{t+1,t} come twice, or their
 * transposes do. */
VDI__FN void vdi__natural_column(vdi__natural *n, const double *slope, int64_t first,
                                 int64_t stride, int64_t k, double scale) {
    const vdi__vilds_batch *b = n->b;
    const int64_t d = n->m->desc.d, dd = d * d, T = b->info.T;
    for (int64_t i = 0; i < b->info.trials; i++) {
        for (int64_t t = first; t < b->info.length[i]; t += stride) {
            const int64_t bin = i * T + t;
            const double w = 0.5 * scale / n->width[bin * d + k];
            double *D = n->HD + bin * dd, *E = n->HE + (i * (T - 1) + t) * dd;
            const double *here = slope + bin * d;
            for (int64_t l = 0; l < d; l++) {
                D[l * d + k] += w * here[l];
                D[k * d + l] += w * here[l];
                if (t + 1 < b->info.length[i]) E[l * d + k] += w * here[d + l];
                if (t > 0) (E - dd)[k * d + l] += w * here[l - d];
            }
        }
    }
}

/* The slope of a path into g and the blocks: a moved one less the sample's own. */
VDI__FN void vdi__natural_gather(vdi__natural *n, vdi__natural_path p, const double *slope) {
    const double share = 1 / (double)n->samples;
    if (p.k >= 0) {
        vdi__natural_column(n, slope, p.colour, n->colours, p.k, p.sign * share);
        return;
    }
    vdi__vm_add(vdi__natural_numbers(n), share, slope, n->g);
    for (int64_t k = 0; k < n->m->desc.d; k++)
        vdi__natural_column(n, slope, 0, 1, k, -p.sign * share);
}

/* f, g and H at the samples n->z of `now`. */
VDI__FN vdi_status vdi__natural_expect(vdi__natural *n, bool checked, vdi_error *err) {
    const int64_t B = n->b->info.trials, d = n->m->desc.d, numbers = vdi__natural_numbers(n);
    const int64_t total = n->samples * vdi__natural_each(n);
    const double part = n->m->desc.log_joint || n->m->desc.dtype == VDI_F64 ? 0.01 : 0.05;
    vdi_status status = VDI_OK;
    vdi_blocktri_marginals(&n->now.bt, n->S, NULL);
    for (int64_t i = 0; i < numbers; i++) {
        n->width[i] = part * sqrt(n->S[i * d + i % d]);
        n->g[i] = 0;
    }
    memset(n->HD, 0, (size_t)(2 * numbers * d) * sizeof *n->HD);
    memset(n->f, 0, (size_t)B * sizeof *n->f);
    for (int64_t from = 0; from < total && status >= 0; from += n->paths) {
        const int64_t count = VDI__MIN(n->paths, total - from);
        const double *slope = NULL;
        for (int64_t i = 0; i < count; i++)
            vdi__natural_move(n, vdi__natural_which(n, from + i), n->path + i * numbers);
        status = vdi__natural_run(n, n->path, count, checked, &slope, err);
        for (int64_t i = 0; i < count && status >= 0; i++) {
            const vdi__natural_path p = vdi__natural_which(n, from + i);
            if (slope) vdi__natural_gather(n, p, slope + i * numbers);
            for (int64_t k = 0; k < B && p.k < 0; k++)
                n->f[k] += n->value[i * B + k] / (double)n->samples;
        }
    }
    return status;
}

/* ======== a step ============================================================================== */

/* J of trial i after a step of rho. */
VDI__FN void vdi__natural_propose(vdi__natural *n, int64_t i, double rho) {
    const int64_t dd = n->m->desc.d * n->m->desc.d, T = n->b->info.T, length = n->b->info.length[i];
    const int64_t block = i * T * dd, below = i * (T - 1) * dd;
    for (int64_t k = 0; k < length * dd; k++)
        n->next.D[block + k] = (1 - rho) * n->now.D[block + k] - rho * n->HD[block + k];
    for (int64_t k = 0; k < (length - 1) * dd; k++)
        n->next.E[below + k] = (1 - rho) * n->now.E[below + k] - rho * n->HE[below + k];
}

VDI__FN bool vdi__natural_definite(vdi__natural *n, int64_t i) {
    vdi_blocktri_desc desc = vdi__gauss_shape(n->m, n->b);
    const int64_t dd = desc.d * desc.d, T = desc.T;
    vdi_blocktri one;
    desc.trials = 1;
    desc.lengths = desc.lengths ? desc.lengths + i : NULL;
    return vdi_blocktri_init(&one, &desc, n->one, n->one_size, NULL) >= 0 &&
           vdi_blocktri_factor(&one, n->next.D + i * T * dd,
                               T > 1 ? n->next.E + i * (T - 1) * dd : NULL, NULL) >= 0;
}

/* J of all trials, positive definite: rho of those that are not is halved. */
VDI__FN vdi_status vdi__natural_precisions(vdi__natural *n, double *rho, vdi_error *err) {
    const int64_t B = n->b->info.trials;
    for (int64_t i = 0; i < B; i++)
        vdi__natural_propose(n, i, rho[i]);
    if (vdi__gauss_factor(&n->next, NULL) >= 0) return VDI_OK;
    for (int64_t i = 0; i < B; i++) {
        while (!vdi__natural_definite(n, i)) {
            rho[i] = rho[i] > 1e-4 ? 0.5 * rho[i] : 0;
            vdi__natural_propose(n, i, rho[i]);
            if (rho[i] == 0) break; /* as it was */
        }
    }
    return vdi__gauss_factor(&n->next, err);
}

VDI__FN bool vdi__natural_finite(const vdi__natural *n, int64_t i) {
    const int64_t d = n->m->desc.d, T = n->b->info.T;
    const size_t numbers = (size_t)(T * d);
    return vdi__is_finite(n->f[i]) &&
           vdi_count_nonfinite(VDI_F64, numbers, n->g + i * T * d) == 0 &&
           vdi_count_nonfinite(VDI_F64, numbers * (size_t)d, n->HD + i * T * d * d) == 0;
}

/* One step of every trial, rho at most `cap`. The step of a trial whose bound does not rise over
 * the step's own samples is undone; with `noise`, only if it falls by more than a few samples let
 * it fall by chance, which at an optimum is every other time: the log determinant of a J that moves
 * by `cap` has some cap sqrt(T d) nats of it. `gain`: the most that a trial gained a bin; or
 * NULL. */
VDI__FN vdi_status vdi__natural_step(vdi__natural *n, uint64_t seed, int64_t step, double cap,
                                     bool noise, bool checked, double *gain, vdi_error *err) {
    const int64_t B = n->b->info.trials, d = n->m->desc.d, T = n->b->info.T;
    double *rho = n->f_next; /* until the bounds are there */
    vdi_status status = vdi__gauss_factor(&n->now, err);
    if (status < 0) return status;
    n->turn = step;
    vdi__natural_draw(n, seed, step);
    vdi__natural_place(n, &n->now);
    status = vdi__natural_expect(n, checked, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < B; i++) {
        rho[i] = vdi__natural_finite(n, i) ? VDI__MIN(n->rho[i], cap) : 0;
        if (rho[i] > 0) continue;
        memset(n->g + i * T * d, 0, (size_t)(T * d) * sizeof *n->g);
        memset(n->HD + i * T * d * d, 0, (size_t)(T * d * d) * sizeof *n->HD);
        memset(n->HE + i * (T - 1) * d * d, 0, (size_t)((T - 1) * d * d) * sizeof *n->HE);
    }
    vdi__natural_bounds(n, &n->now, n->f);
    status = vdi__natural_precisions(n, rho, err);
    if (status < 0) return status;
    vdi_blocktri_solve(&n->next.bt, 1, n->g, n->next.mean);
    for (int64_t i = 0; i < B * T * d; i++)
        n->next.mean[i] = n->now.mean[i] + rho[i / (T * d)] * n->next.mean[i];
    vdi__natural_place(n, &n->next);
    status = vdi__natural_values(n, n->f_next, err);
    if (status < 0) return status;
    vdi__natural_bounds(n, &n->next, n->f_next);
    if (gain) *gain = 0;
    for (int64_t i = 0; i < B; i++) {
        const double more = n->f_next[i] - n->f[i];
        const double chance = noise ? cap * sqrt((double)(n->b->info.length[i] * d)) : 0;
        const bool better = more >= -1e-9 * fabs(n->f[i]) - chance;
        n->rho[i] = better ? VDI__MIN(1.0, 2 * n->rho[i]) : 0.3 * VDI__MIN(n->rho[i], cap);
        if (!better) continue;
        vdi__gauss_take(n->b, d, i, &n->next, &n->now);
        n->f[i] = n->f_next[i];
        if (gain) *gain = VDI__MAX(*gain, more / (double)VDI__MAX(n->b->info.length[i], 1));
    }
    return VDI_OK;
}

/* ======== refinement ========================================================================== */

/* Newton's steps at the mean, until nothing is gained: Laplace's posterior into n->now. */
VDI__FN vdi_status vdi__natural_laplace(vdi_vilds *m, vdi__vilds_batch *b, int64_t steps,
                                        vdi__gauss *q, vdi_error *err) {
    vdi__natural n;
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    double gain = HUGE_VAL;
    vdi_status status = vdi__natural_make(m, b, 0, &n, err);
    for (int64_t i = 0; i < b->info.trials && status >= 0; i++)
        vdi__gauss_take(b, m->desc.d, i, q, &n.now);
    for (int64_t step = 0; step < steps && status >= 0 && gain > 1e-7; step++)
        status = vdi__natural_step(&n, 0, step, 1, false, step == 0, &gain, err);
    for (int64_t i = 0; i < b->info.trials && status >= 0; i++)
        vdi__gauss_take(b, m->desc.d, i, &n.now, q);
    vdi_arena_rewind(&m->arena, mark);
    return status;
}

/* `steps` steps of q, which lies in the arena; the second half of them are averaged. */
VDI__FN vdi_status vdi__natural_refine(vdi_vilds *m, vdi__vilds_batch *b, int64_t steps,
                                       int64_t samples, uint64_t seed, vdi__gauss *q,
                                       vdi_error *err) {
    vdi__natural n;
    const vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    vdi_status status = vdi__natural_make(m, b, VDI__MAX(samples, 2), &n, err);
    for (int64_t i = 0; i < b->info.trials && status >= 0; i++)
        vdi__gauss_take(b, m->desc.d, i, q, &n.now);
    for (int64_t step = 0; step < steps && status >= 0; step++) {
        const int64_t late = VDI__MAX(step - steps / 2, (int64_t)0);
        const double cap = 1 / (1 + 0.5 * (double)late);
        status = vdi__natural_step(&n, seed, step, cap, false, step == 0, NULL, err);
    }
    for (int64_t i = 0; i < b->info.trials && status >= 0; i++)
        vdi__gauss_take(b, m->desc.d, i, &n.now, q);
    vdi_arena_rewind(&m->arena, mark);
    return status;
}
#endif
