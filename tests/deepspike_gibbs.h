/* tests/deepspike_gibbs.h - long Markov chains over the spike trains of the linear model: what an
 * approximate posterior is held against
 *
 * f_t = alpha c_t + beta + N(0, sigma^2), c_t = s_t + g c_{t-1}, s_t ~ Bernoulli(rate), all known.
 * A sweep visits every bin with a Gibbs step, and offers every spike a place up to three bins away
 * (Metropolis), since single flips hardly ever move one. The projection of the residual on each
 * bin's kernel is kept up to date, so a proposal costs O(1) and a change O(T).
 */
#ifndef VDI_TESTS_DEEPSPIKE_GIBBS_H
#define VDI_TESTS_DEEPSPIKE_GIBBS_H
#include "vdi.h"

typedef struct gibbs {
    int64_t T;
    double g, alpha, beta, sigma, rate;
    double *s, *q, *power; /* train; sum_{t >= i} r_t g^(t-i); powers of g up to 2T */
} gibbs;

/* sum_{t >= max(i,j), t < T} g^(t-i) g^(t-j) */
static inline double gibbs_kernel(const gibbs *c, int64_t i, int64_t j) {
    const int64_t last = i > j ? i : j, gap = i > j ? i - j : j - i;
    return c->power[gap] * (1 - c->power[2 * (c->T - last)]) / (1 - c->g * c->g);
}
static inline void gibbs_flip(gibbs *c, int64_t i, double by) {
    c->s[i] += by;
    for (int64_t j = 0; j < c->T; j++)
        c->q[j] -= by * c->alpha * gibbs_kernel(c, i, j);
}
/* what adding `by` at i does to log p(f | s) */
static inline double gibbs_gain(const gibbs *c, int64_t i, double by) {
    return (by * c->alpha * c->q[i] - 0.5 * c->alpha * c->alpha * gibbs_kernel(c, i, i)) /
           (c->sigma * c->sigma);
}
static inline void gibbs_sweep(gibbs *c, vdi_rng *rng) {
    const double prior = log(c->rate / (1 - c->rate));
    for (int64_t i = 0; i < c->T; i++) {
        const bool on = c->s[i] > 0;
        const double odds = on ? -gibbs_gain(c, i, -1) + prior : gibbs_gain(c, i, 1) + prior;
        const bool want = vdi_rng_uniform(rng) < 1 / (1 + exp(-odds));
        if (want != on) gibbs_flip(c, i, want ? 1 : -1);
    }
    for (int64_t i = 0; i < c->T; i++) {
        if (!(c->s[i] > 0)) continue;
        const int64_t by = (int64_t)vdi_rng_below(rng, 6) - 3, j = i + (by >= 0 ? by + 1 : by);
        if (j < 0 || j >= c->T || c->s[j] > 0) continue;
        /* remove at i, add at j; the two changes meet in their kernels' product */
        const double gain = gibbs_gain(c, i, -1) + gibbs_gain(c, j, 1) +
                            c->alpha * c->alpha * gibbs_kernel(c, i, j) / (c->sigma * c->sigma);
        if (log(vdi_rng_uniform(rng)) < gain) {
            gibbs_flip(c, i, -1);
            gibbs_flip(c, j, 1);
        }
    }
}
/* Marginals (T) and adjacent products E[s_t s_{t+1}] (T-1) of `sweeps` sweeps after a tenth as
 * many. f (T). */
static inline void gibbs_run(gibbs *c, const double *f, int64_t sweeps, uint64_t seed,
                             double *marginal, double *adjacent) {
    vdi_rng rng = vdi_rng_make(seed, 0);
    c->s = (double *)calloc((size_t)c->T, sizeof(double));
    c->q = (double *)calloc((size_t)c->T, sizeof(double));
    c->power = (double *)malloc((size_t)(2 * c->T + 1) * sizeof(double));
    c->power[0] = 1;
    for (int64_t i = 1; i <= 2 * c->T; i++)
        c->power[i] = c->power[i - 1] * c->g;
    for (int64_t i = c->T - 1; i >= 0; i--)
        c->q[i] = f[i] - c->beta + (i + 1 < c->T ? c->g * c->q[i + 1] : 0);
    for (int64_t t = 0; t < c->T; t++)
        marginal[t] = 0;
    for (int64_t t = 0; t + 1 < c->T; t++)
        adjacent[t] = 0;
    for (int64_t n = -sweeps / 10; n < sweeps; n++) {
        gibbs_sweep(c, &rng);
        if (n < 0) continue;
        for (int64_t t = 0; t < c->T; t++)
            marginal[t] += c->s[t] / (double)sweeps;
        for (int64_t t = 0; t + 1 < c->T; t++)
            adjacent[t] += c->s[t] * c->s[t + 1] / (double)sweeps;
    }
    free(c->s);
    free(c->q);
    free(c->power);
}
#endif
