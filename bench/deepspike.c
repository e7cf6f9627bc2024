/* bench/deepspike.c - learning results of DeepSpike on simulations, and its speed: the tables of
 * docs/results/deepspike.md
 *
 * deepspike ar1|ar2|scdf|mlphys SEED [name=value ...]: learns without labels (or with: estimator=4)
 * from `cells` cells of 3 traces of `bins` bins at 60 Hz, 0.7, 1.0 and 1.2 spikes a second, and is
 * scored on `unseen` other cells: the correlation of probability and spikes in bins of 1/60 s, mean
 * over traces. Options: steps, posterior (0 factorised, 1 correlated), estimator (in the order of
 * vdi_deepspike_estimator), batch, samples, snippet, first, last, rate, factor, final (cosine to
 * that share of the rate), dreams, threads, every (steps between scores), clip, floor, from=FILE,
 * save=FILE
 *
 * deepspike spine SEED [spines=N bins=N steps=N rate=X batch=N samples=N ratio=X]: back-propagating
 * and synaptic events in simulated spines at three ratios of amplitude, against regression
 * subtraction
 *
 * deepspike bound SEED [spines=N bins=N sweeps=N ratio=X]: the same spines by Gibbs sampling with
 * known parameters
 *
 * deepspike mcmc SEED [steps=N]: both posteriors of a linear cell whose parameters are known, T =
 * 1000, against Gibbs sampling
 *
 * deepspike variance SEED: how the gradients of the estimators scatter, half-way through learning
 *
 * deepspike speed 0 [threads=N]: CPU time of inference, a frame of a stream, and training steps, as
 * shares of this core's peak too
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vdi.h"

#include "../tests/deepspike_gibbs.h"

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void fail(const vdi_error *err) {
    fprintf(stderr, "%s: %s\n", err->where, err->message);
    exit(1);
}
static const char *option_text(int argc, char **argv, const char *name) {
    const size_t n = strlen(name);
    const char *value = NULL;
    for (int i = 3; i < argc; i++)
        if (!strncmp(argv[i], name, n) && argv[i][n] == '=') value = argv[i] + n + 1;
    return value;
}
static double option(int argc, char **argv, const char *name, double value) {
    const char *text = option_text(argc, argv, name);
    return text ? atof(text) : value;
}

/* Cells as in the published simulations: traces (3 cells, bins), spikes. */
typedef struct population {
    int64_t cells, bins;
    float *f, *s;
    int64_t *cell;
    double *theta;
} population;
static population simulate(const vdi_calcium_desc *c, int64_t cells, int64_t bins, uint64_t seed) {
    static const double rate[3] = {0.7, 1.0, 1.2};
    population p = {cells,
                    bins,
                    malloc(sizeof(float) * (size_t)(3 * cells * bins)),
                    malloc(sizeof(float) * (size_t)(3 * cells * bins)),
                    malloc(sizeof(int64_t) * (size_t)(3 * cells)),
                    malloc(sizeof(double) * (size_t)(cells * VDI_CALCIUM_PARAMS))};
    vdi_error err;
    for (int64_t i = 0; i < cells; i++) {
        vdi_rng rng = vdi_rng_make(seed, (uint64_t)i);
        vdi_calcium_draw(c, &rng, p.theta + i * VDI_CALCIUM_PARAMS);
        for (int k = 0; k < 3; k++) {
            float *s = p.s + (3 * i + k) * bins;
            for (int64_t t = 0; t < bins; t++)
                s[t] = (float)vdi_rng_poisson(&rng, rate[k] * c->bin);
            if (vdi_calcium_sample(c, p.theta + i * VDI_CALCIUM_PARAMS, VDI_F32, bins, s, 0, &rng,
                                   NULL, p.f + (3 * i + k) * bins, &err) < 0)
                fail(&err);
            p.cell[3 * i + k] = i;
        }
    }
    return p;
}
static double correlation(int64_t n, const double *x, const float *y) {
    double sx = 0;
    double sy = 0;
    double xx = 0;
    double yy = 0;
    double xy = 0;
    for (int64_t i = 0; i < n; i++) {
        sx += x[i];
        sy += y[i];
        xx += x[i] * x[i];
        yy += (double)y[i] * y[i];
        xy += x[i] * y[i];
    }
    return (xy - sx * sy / (double)n) /
           sqrt((xx - sx * sx / (double)n) * (yy - sy * sy / (double)n));
}
/* mean correlation over traces, and expected spikes over true ones */
static double score(vdi_deepspike *net, vdi_deepspike_data *data, const population *p,
                    double *ratio) {
    const int64_t n = 3 * p->cells;
    double *probability = malloc(sizeof(double) * (size_t)(n * p->bins));
    double sum = 0;
    double found = 0;
    double truth = 0;
    vdi_deepspike_result out = {0};
    vdi_deepspike_query q = {0};
    vdi_error err;
    out.probability = probability;
    if (vdi_deepspike_infer(net, data, &q, &out, &err) < 0) fail(&err);
    for (int64_t i = 0; i < n; i++) {
        sum += correlation(p->bins, probability + i * p->bins, p->s + i * p->bins);
        for (int64_t t = 0; t < p->bins; t++) {
            found += probability[i * p->bins + t];
            truth += p->s[i * p->bins + t];
        }
    }
    free(probability);
    *ratio = found / truth;
    return sum / (double)n;
}
static vdi_deepspike_data *data_of(vdi_deepspike *net, const population *p) {
    vdi_deepspike_data_desc dd = {0};
    vdi_deepspike_data *data;
    vdi_error err;
    dd.traces = vdi_tensor_2d(p->f, VDI_F32, 3 * p->cells, p->bins);
    dd.spikes = vdi_tensor_2d(p->s, VDI_F32, 3 * p->cells, p->bins);
    dd.cell = p->cell;
    if (vdi_deepspike_data_create(net, &dd, &data, &err) < 0) fail(&err);
    return data;
}

static vdi_deepspike_desc learner(int argc, char **argv, const vdi_calcium_desc *c) {
    const bool ar1 = c->model == VDI_CALCIUM_AR1;
    const double final = option(argc, argv, "final", 0);
    vdi_deepspike_desc desc = {0};
    vdi_deepspike_train *tr = &desc.train;
    desc.generative = vdi_deepspike_calcium(c);
    desc.posterior = (vdi_deepspike_family)option(argc, argv, "posterior", ar1 ? 0 : 1);
    desc.floor = option(argc, argv, "floor", 0);
    tr->estimator = (vdi_deepspike_estimator)option(argc, argv, "estimator", 0);
    tr->steps = (int64_t)option(argc, argv, "steps", 5000);
    tr->batch = (int64_t)option(argc, argv, "batch", ar1 ? 20 : 30);
    tr->samples = (int64_t)option(argc, argv, "samples", 64);
    tr->snippet = (int64_t)option(argc, argv, "snippet", ar1 ? 300 : 250);
    tr->has_buffer = true;
    tr->buffer_first = (int64_t)option(argc, argv, "first", 100);
    tr->buffer_last = (int64_t)option(argc, argv, "last", 50);
    tr->rate = option(argc, argv, "rate", 1e-3);
    tr->theta_factor = option(argc, argv, "factor", ar1 ? 30 : 15);
    tr->clip_norm = option(argc, argv, "clip", 0);
    tr->dreams = (int64_t)option(argc, argv, "dreams", 0);
    tr->temperature = option(argc, argv, "temperature", 0);
    tr->schedule.kind = VDI_SCHEDULE_STEP;
    tr->schedule.factor = 0.995;
    tr->schedule.every = ar1 ? 200 : 100;
    if (final > 0) {
        tr->schedule.kind = VDI_SCHEDULE_COSINE;
        tr->schedule.steps = tr->steps;
        tr->schedule.last = final;
    }
    tr->seed = strtoull(argv[2], NULL, 10);
    return desc;
}

static void load_state(const char *path, vdi_deepspike *net, vdi_deepspike_data *data) {
    vdi_safetensors file;
    vdi_error err;
    if (vdi_safetensors_load(path, NULL, &file, &err) < 0 ||
        vdi_safetensors_copy_to(&file, vdi_deepspike_state(net, data, true), &err) < 0)
        fail(&err);
    vdi_safetensors_free(&file);
}

/* Sums over the steps since the last report. */
typedef struct progress_sums {
    int64_t steps;
    double bound, sleep, norm;
} progress_sums;

/* A network in training: the cells it sees, and others. */
typedef struct learning {
    vdi_deepspike *net;
    const population *seen, *unseen;
    vdi_deepspike_data *data, *test;
    int theta_count, amplitude;
} learning;

static void report(const learning *l, int64_t step, const progress_sums *sums, double spent) {
    const double n = (double)sums->steps;
    double ratio, ratio_seen, off[VDI_CALCIUM_PARAMS] = {0};
    const double r = score(l->net, l->test, l->unseen, &ratio);
    const double own = score(l->net, l->data, l->seen, &ratio_seen);
    for (int64_t i = 0; i < l->seen->cells; i++) {
        const double *theta = vdi_deepspike_data_theta(l->data, i);
        for (int k = 0; k < l->theta_count; k++) {
            off[k] += fabs(theta[k] - l->seen->theta[i * VDI_CALCIUM_PARAMS + k]) /
                      (double)l->seen->cells;
        }
    }
    printf("step %5lld  bound %8.5f  sleep %8.5f  norm %7.4f  unseen %.4f (count %.3f)  seen "
           "%.4f (%.3f)  alpha off %.3f  %7.1f s  "
           "theta off",
           (long long)step, sums->bound / n, sums->sleep / n, sums->norm / n, r, ratio, own,
           ratio_seen, off[l->amplitude], spent);
    for (int k = 0; k < l->theta_count; k++)
        printf(" %.2f", off[k]);
    printf("\n");
    fflush(stdout);
}

static int learn(int argc, char **argv, vdi_calcium_model model) {
    const uint64_t seed = strtoull(argv[2], NULL, 10);
    const char *from = option_text(argc, argv, "from"), *save = option_text(argc, argv, "save");
    const int64_t every = (int64_t)option(argc, argv, "every", 500);
    const int threads = (int)option(argc, argv, "threads", 1);
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    vdi_error err;
    c.model = model;
    const population seen = simulate(&c, (int64_t)option(argc, argv, "cells", 30),
                                     (int64_t)option(argc, argv, "bins", 10000), 1000 + seed);
    const population unseen =
        simulate(&c, (int64_t)option(argc, argv, "unseen", 30), seen.bins, 2000 + seed);
    vdi_deepspike_desc desc = learner(argc, argv, &c);
    learning l = {NULL,
                  &seen,
                  &unseen,
                  NULL,
                  NULL,
                  (int)desc.generative.theta_count,
                  (int)desc.generative.amplitude};
    if (threads > 1 && vdi_pool_create(threads, NULL, &desc.pool, &err) < 0) fail(&err);
    if (vdi_deepspike_create(&desc, &l.net, &err) < 0) fail(&err);
    l.data = data_of(l.net, &seen);
    l.test = data_of(l.net, &unseen);
    if (from) load_state(from, l.net, l.data);
    progress_sums sums = {0};
    double start = cpu_seconds();
    for (;;) {
        vdi_deepspike_progress p;
        const vdi_status status = vdi_deepspike_step(l.net, l.data, &p, &err);
        if (status < 0) fail(&err);
        if (status == VDI_END) break;
        sums.bound += p.bound;
        sums.sleep += p.sleep;
        sums.norm += p.norm;
        sums.steps++;
        if (p.step % every && p.step != p.steps) continue;
        const double spent = cpu_seconds() - start;
        report(&l, p.step, &sums, spent);
        memset(&sums, 0, sizeof sums);
        if (save && vdi_safetensors_save(save, vdi_deepspike_state(l.net, l.data, true), &err) < 0)
            fail(&err);
        start = cpu_seconds() - spent;
    }
    vdi_deepspike_data_destroy(l.data);
    vdi_deepspike_data_destroy(l.test);
    vdi_deepspike_destroy(l.net);
    vdi_pool_destroy(desc.pool);
    return 0;
}

/* ---- spines ---------------------------------------------------------------------------------- */

/* y on x: intercept and slope by Tukey's bisquare, as robustfit does it (the subtraction of Chen et
 * al. 2013). */
static void robust_line(int64_t n, const float *x, const float *y, double *intercept,
                        double *slope) {
    double a = 0;
    double b = 0;
    double *r = malloc(sizeof(double) * (size_t)n);
    double scale = HUGE_VAL;
    for (int round = 0; round < 30; round++) {
        double w = 0;
        double sx = 0;
        double sy = 0;
        double xx = 0;
        double xy = 0;
        for (int64_t i = 0; i < n; i++) {
            const double u = round ? (y[i] - a - b * x[i]) / (4.685 * scale) : 0;
            const double k = fabs(u) < 1 ? (1 - u * u) * (1 - u * u) : 0;
            w += k;
            sx += k * x[i];
            sy += k * y[i];
            xx += k * x[i] * x[i];
            xy += k * x[i] * y[i];
        }
        b = (xy - sx * sy / w) / (xx - sx * sx / w);
        a = (sy - b * sx) / w;
        for (int64_t i = 0; i < n; i++)
            r[i] = fabs(y[i] - a - b * x[i]);
        double low = 0, high = 100; /* the median, by halving */
        for (int k = 0; k < 50; k++) {
            int64_t above = 0;
            for (int64_t i = 0; i < n; i++)
                above += r[i] > 0.5 * (low + high);
            if (2 * above > n)
                low = 0.5 * (low + high);
            else
                high = 0.5 * (low + high);
        }
        scale = 1.4826 * high + 1e-12;
    }
    *intercept = a;
    *slope = b;
    free(r);
}
/* Learn without labels on `f` (n, signals, bins), then the mean correlation of each stream with s
 * (n, signals, bins). */
static void fit_and_score(const vdi_calcium_desc *c, int64_t n, int64_t bins, const float *f,
                          const float *s, int stream, const vdi_deepspike_train *train, double rate,
                          double *r) {
    vdi_deepspike_desc desc = {0};
    vdi_deepspike *net;
    vdi_deepspike_data_desc dd = {0};
    vdi_deepspike_data *data;
    vdi_error err;
    desc.generative = vdi_deepspike_calcium(c);
    const int M = desc.generative.streams;
    desc.prior_rate[0] = desc.prior_rate[1] = rate;
    desc.train = *train;
    if (vdi_deepspike_create(&desc, &net, &err) < 0) fail(&err);
    dd.traces = M > 1 ? vdi_tensor_3d((void *)(uintptr_t)f, VDI_F32, n, M, bins)
                      : vdi_tensor_2d((void *)(uintptr_t)f, VDI_F32, n, bins);
    if (vdi_deepspike_data_create(net, &dd, &data, &err) < 0) fail(&err);
    if (vdi_deepspike_fit(net, data, NULL, NULL, &err) < 0) fail(&err);
    double *p = malloc(sizeof(double) * (size_t)(n * M * bins));
    vdi_deepspike_result out = {0};
    out.probability = p;
    if (vdi_deepspike_infer(net, data, NULL, &out, &err) < 0) fail(&err);
    for (int j = 0; j < M; j++) {
        r[j] = 0;
        for (int64_t i = 0; i < n; i++) {
            r[j] += correlation(bins, p + (i * M + j) * bins,
                                s + (i * 2 + (M > 1 ? j : stream)) * bins) /
                    (double)n;
        }
    }
    free(p);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
}
static double oasis_score(int64_t n, int64_t bins, const float *f, const float *s, int stream) {
    vdi_oasis_desc d = vdi_oasis_desc_defaults();
    double sum = 0;
    double *x = malloc(sizeof(double) * (size_t)bins);
    double *y = malloc(sizeof(double) * (size_t)bins);
    vdi_error err;
    d.fps = 60;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t t = 0; t < bins; t++)
            y[t] = f[i * bins + t];
        if (vdi_oasis(&d, VDI_F64, bins, y, NULL, NULL, x, NULL, &err) < 0) fail(&err);
        sum += correlation(bins, x, s + (i * 2 + stream) * bins) / (double)n;
    }
    free(x);
    free(y);
    return sum;
}
/* Dendrite and spine i: raw (9), events s (2,bins) and traces f (2,bins). */
static void spine_draw(const vdi_calcium_desc *c, uint64_t seed, int64_t i, double ratio,
                       double rate, int64_t bins, double *raw, float *s, float *f) {
    vdi_rng rng = vdi_rng_make(3000 + seed, (uint64_t)i);
    vdi_error err;
    vdi_calcium_draw(c, &rng, raw);
    raw[4] = raw[0] + 0.3 * vdi_rng_normal(&rng); /* decays of a dendrite and its spine are alike */
    /* synaptic over back-propagating */
    raw[6] = vdi_calcium_raw(VDI_CALCIUM_SOFTPLUS,
                             ratio * vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw[5]));
    for (int64_t t = 0; t < 2 * bins; t++)
        s[t] = vdi_rng_bernoulli(&rng, rate) ? 1 : 0;
    if (vdi_calcium_sample(c, raw, VDI_F32, bins, s, 0, &rng, NULL, f, &err) < 0) fail(&err);
}

/* Gibbs sampling of both streams with known parameters: what is left for a network to reach. The
   two traces are two linear models whose trains are the mixtures alpha_d b and alpha_b b + alpha_y
   y (tests/deepspike_gibbs.h has the projections that a proposal needs). */
typedef struct spine_chain {
    int64_t bins;
    gibbs side[2];    /* dendrite and spine */
    double add[2][2]; /* what an event of each stream adds to each trace */
    double prior;     /* log odds of an event */
    double *x;        /* (2,bins): back-propagating, synaptic */
    vdi_rng rng;
} spine_chain;

static void chain_make(spine_chain *s, const double *raw, const float *f, int64_t bins, double rate,
                       uint64_t seed) {
    memset(s, 0, sizeof *s);
    s->bins = bins;
    s->add[0][0] = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw[1]);
    s->add[1][0] = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw[5]);
    s->add[1][1] = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw[6]);
    s->prior = log(rate / (1 - rate));
    s->x = calloc((size_t)(2 * bins), sizeof *s->x);
    s->rng = vdi_rng_make(seed, 0);
    for (int k = 0; k < 2; k++) {
        gibbs *c = &s->side[k];
        c->T = bins;
        c->alpha = 1;
        c->g = vdi_calcium_natural(VDI_CALCIUM_SIGMOID, raw[4 * k]);
        c->sigma = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw[k ? 8 : 3]);
        c->s = calloc((size_t)bins, sizeof *c->s);
        c->q = calloc((size_t)bins, sizeof *c->q);
        c->power = malloc((size_t)(2 * bins + 1) * sizeof *c->power);
        c->power[0] = 1;
        for (int64_t i = 1; i <= 2 * bins; i++)
            c->power[i] = c->power[i - 1] * c->g;
        for (int64_t i = bins - 1; i >= 0; i--)
            c->q[i] = f[k * bins + i] - raw[k ? 7 : 2] + (i + 1 < bins ? c->g * c->q[i + 1] : 0);
    }
}

static void chain_free(spine_chain *s) {
    for (int k = 0; k < 2; k++) {
        free(s->side[k].s);
        free(s->side[k].q);
        free(s->side[k].power);
    }
    free(s->x);
}

/* What trace k gains at bin t if the events there become those of the combination (bit 0: back-
 * propagating, bit 1: synaptic). */
static double chain_change(const spine_chain *s, int k, int64_t t, int combination) {
    return s->add[k][0] * ((combination & 1) - s->x[t]) +
           s->add[k][1] * ((combination >> 1) - s->x[s->bins + t]);
}

/* A combination of both streams in bin t, from its conditional distribution. */
static int chain_draw(spine_chain *s, int64_t t) {
    double p[4], most = -HUGE_VAL, sum = 0;
    int want = 0;
    for (int c = 0; c < 4; c++) {
        p[c] = s->prior * ((c & 1) - s->x[t] + (c >> 1) - s->x[s->bins + t]);
        for (int k = 0; k < 2; k++) {
            const gibbs *side = &s->side[k];
            const double u = chain_change(s, k, t, c);
            p[c] += (u * side->q[t] - 0.5 * u * u * gibbs_kernel(side, t, t)) /
                    (side->sigma * side->sigma);
        }
        most = fmax(most, p[c]);
    }
    for (int c = 0; c < 4; c++) {
        p[c] = exp(p[c] - most);
        sum += p[c];
    }
    for (double u = vdi_rng_uniform(&s->rng) * sum; want < 3 && (u -= p[want]) > 0;)
        want++;
    return want;
}

static void chain_set(spine_chain *s, int64_t t, int combination) {
    const double u[2] = {chain_change(s, 0, t, combination), chain_change(s, 1, t, combination)};
    for (int k = 0; k < 2; k++)
        if (u[k] != 0) gibbs_flip(&s->side[k], t, u[k]);
    s->x[t] = combination & 1;
    s->x[s->bins + t] = combination >> 1;
}

/* Proposes to move the event of stream j in bin i to another place, up to four bins away. */
static void chain_move(spine_chain *s, int j, int64_t i) {
    double *x = s->x + j * s->bins, gain = 0;
    if (!(x[i] > 0)) return;
    const int64_t by = (int64_t)vdi_rng_below(&s->rng, 8) - 4;
    const int64_t to = i + (by >= 0 ? by + 1 : by);
    if (to < 0 || to >= s->bins || x[to] > 0) return;
    for (int k = 0; k < 2; k++) {
        const gibbs *c = &s->side[k];
        const double u = s->add[k][j];
        gain += (u * (c->q[to] - c->q[i]) - 0.5 * u * u *
                                                (gibbs_kernel(c, i, i) + gibbs_kernel(c, to, to) -
                                                 2 * gibbs_kernel(c, i, to))) /
                (c->sigma * c->sigma);
    }
    if (log(vdi_rng_uniform(&s->rng)) >= gain) return;
    for (int k = 0; k < 2; k++) {
        if (s->add[k][j] == 0) continue;
        gibbs_flip(&s->side[k], i, -s->add[k][j]);
        gibbs_flip(&s->side[k], to, s->add[k][j]);
    }
    x[i] = 0;
    x[to] = 1;
}

/* first: NULL, or the events (2,bins) to begin with. marginal (2,bins). */
static void spine_gibbs(const double *raw, const float *f, int64_t bins, int64_t sweeps,
                        double rate, const float *first, uint64_t seed, double *marginal) {
    const int64_t begin = -sweeps / 5 - 1;
    spine_chain s;
    chain_make(&s, raw, f, bins, rate, seed);
    for (int64_t i = 0; i < 2 * bins; i++)
        marginal[i] = 0;
    for (int64_t n = begin; n < sweeps; n++) {
        for (int64_t t = 0; t < bins; t++) {
            int want = chain_draw(&s, t);
            if (n == begin && first) want = (first[t] > 0) + 2 * (first[bins + t] > 0);
            chain_set(&s, t, want);
        }
        for (int j = 0; j < 2; j++) {
            for (int64_t i = 0; i < bins; i++)
                chain_move(&s, j, i);
        }
        for (int64_t i = 0; n >= 0 && i < 2 * bins; i++)
            marginal[i] += s.x[i] / (double)sweeps;
    }
    chain_free(&s);
}

static int bound(int argc, char **argv) {
    const uint64_t seed = strtoull(argv[2], NULL, 10);
    const int64_t n = (int64_t)option(argc, argv, "spines", 8);
    const int64_t bins = (int64_t)option(argc, argv, "bins", 6000);
    const int64_t sweeps = (int64_t)option(argc, argv, "sweeps", 300);
    const double ratio = option(argc, argv, "ratio", 1), rate = 0.7 / 60;
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    float *f = malloc(sizeof(float) * (size_t)(2 * bins));
    float *s = malloc(sizeof(float) * (size_t)(2 * bins));
    double *marginal = malloc(sizeof(double) * (size_t)(2 * bins));
    c.model = VDI_CALCIUM_SPINE;
    for (int truth = 0; truth < 2; truth++) {
        double r[2] = {0, 0};
        for (int64_t i = 0; i < n; i++) {
            double raw[VDI_CALCIUM_PARAMS];
            spine_draw(&c, seed, i, ratio, rate, bins, raw, s, f);
            spine_gibbs(raw, f, bins, sweeps, rate, truth ? s : NULL, 7 + (uint64_t)i, marginal);
            for (int j = 0; j < 2; j++)
                r[j] += correlation(bins, marginal + j * bins, s + j * bins) / (double)n;
        }
        printf("Gibbs with known parameters, from %s: synaptic %.3f, back-propagating %.3f\n",
               truth ? "the truth" : "no events", r[1], r[0]);
        fflush(stdout);
    }
    free(f);
    free(s);
    free(marginal);
    return 0;
}
static int spine(int argc, char **argv) {
    static const double ratio[3] = {0.5, 1, 2};
    const uint64_t seed = strtoull(argv[2], NULL, 10);
    const int64_t n = (int64_t)option(argc, argv, "spines", 12);
    const int64_t bins = (int64_t)option(argc, argv, "bins", 10000);
    const int64_t steps = (int64_t)option(argc, argv, "steps", 2000);
    vdi_calcium_desc c = vdi_calcium_desc_defaults(), one = c;
    vdi_deepspike_train train = {0};
    train.estimator = VDI_DEEPSPIKE_WAKE_SLEEP;
    train.seed = seed;
    train.steps = steps;
    train.batch = (int64_t)option(argc, argv, "batch", 4);
    train.samples = (int64_t)option(argc, argv, "samples", 16);
    train.dreams = 24;
    train.rate = option(argc, argv, "rate", 2e-3);
    train.theta_factor = 0.2 / train.rate;
    train.schedule.kind = VDI_SCHEDULE_COSINE;
    train.schedule.steps = steps;
    train.schedule.last = 0.05;
    const double rate = 0.7 / 60;
    c.model = VDI_CALCIUM_SPINE;
    printf("ratio | synaptic: DeepSpike on both traces, subtraction then DeepSpike, subtraction "
           "then OASIS | back-propagating: both, "
           "dendrite alone by DeepSpike, by OASIS\n");
    const double only = option(argc, argv, "ratio", 0);
    double alone[1] = {0};
    for (int k = 0; k < 3; k++) {
        if (only > 0 && ratio[k] != only) continue;
        float *f = malloc(sizeof(float) * (size_t)(2 * n * bins));
        float *s = malloc(sizeof(float) * (size_t)(2 * n * bins));
        float *dendrite = malloc(sizeof(float) * (size_t)(n * bins));
        float *rest = malloc(sizeof(float) * (size_t)(n * bins));
        for (int64_t i = 0; i < n; i++) {
            double raw[VDI_CALCIUM_PARAMS], a, b;
            spine_draw(&c, seed, i, ratio[k], rate, bins, raw, s + 2 * i * bins, f + 2 * i * bins);
            memcpy(dendrite + i * bins, f + 2 * i * bins, sizeof(float) * (size_t)bins);
            robust_line(bins, f + 2 * i * bins, f + (2 * i + 1) * bins, &a, &b);
            for (int64_t t = 0; t < bins; t++) {
                rest[i * bins + t] =
                    (float)(f[(2 * i + 1) * bins + t] - b * (f[2 * i * bins + t] + 0.3) - 0.0);
            }
        }
        double both[2], left[1];
        fit_and_score(&c, n, bins, f, s, 0, &train, rate, both);
        fit_and_score(&one, n, bins, rest, s, 1, &train, rate, left);
        /* the same for every ratio */
        if (!(alone[0] > 0)) fit_and_score(&one, n, bins, dendrite, s, 0, &train, rate, alone);
        printf("%5.1f | %.3f %.3f %.3f | %.3f %.3f %.3f\n", ratio[k], both[1], left[0],
               oasis_score(n, bins, rest, s, 1), both[0], alone[0],
               oasis_score(n, bins, dendrite, s, 0));
        fflush(stdout);
        free(f);
        free(s);
        free(dendrite);
        free(rest);
    }
    return 0;
}

/* ---- posteriors and gradients ---------------------------------------------------------------- */

enum { CELL_T = 1000, CELL_SAMPLES = 1000 };

/* A linear cell with known parameters, and what Gibbs sampling says of its trace. */
typedef struct linear_cell {
    double raw[4], f[CELL_T];
    double marginal[CELL_T], adjacent[CELL_T]; /* P(s_t), P(s_t and s_t+1) */
    double noise_ratio;                        /* sigma / alpha */
} linear_cell;

static void cell_make(linear_cell *cell, const vdi_calcium_desc *c, double noise, uint64_t seed) {
    const double raw[4] = {2.6, -0.7, -0.2, noise};
    double s[CELL_T];
    gibbs chain = {0};
    vdi_rng rng = vdi_rng_make(seed, 0);
    vdi_error err;
    memcpy(cell->raw, raw, sizeof raw);
    for (int t = 0; t < CELL_T; t++)
        s[t] = vdi_rng_bernoulli(&rng, 0.03);
    if (vdi_calcium_sample(c, raw, VDI_F64, CELL_T, s, 0, &rng, NULL, cell->f, &err) < 0)
        fail(&err);
    chain.T = CELL_T;
    chain.g = vdi_calcium_natural(VDI_CALCIUM_SIGMOID, raw[0]);
    chain.alpha = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw[1]);
    chain.beta = raw[2];
    chain.sigma = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw[3]);
    chain.rate = 0.03;
    gibbs_run(&chain, cell->f, 20000, 1, cell->marginal, cell->adjacent);
    cell->noise_ratio = chain.sigma / chain.alpha;
}

static vdi_deepspike_desc cell_learner(const vdi_calcium_desc *c, const linear_cell *cell,
                                       int family, bool vimco, int64_t steps) {
    static const int64_t channels[3] = {20, 15, 15}, width[3] = {31, 21, 11};
    vdi_deepspike_desc d = {0};
    d.generative = vdi_deepspike_calcium(c);
    for (int i = 0; i < 4; i++) {
        d.generative.theta_init[i] = cell->raw[i];
        d.generative.theta_frozen[i] = true;
    }
    d.posterior = (vdi_deepspike_family)family;
    d.prior_rate[0] = 0.03;
    d.features = 8;
    d.hidden = 32;
    d.layers = 3;
    for (int i = 0; i < 3; i++) {
        d.channels[i] = channels[i];
        d.width[i] = width[i];
    }
    d.train.estimator = vimco ? VDI_DEEPSPIKE_VIMCO : VDI_DEEPSPIKE_WAKE_SLEEP;
    d.train.batch = vimco ? 10 : 1;
    d.train.samples = vimco ? 64 : 2;
    d.train.dreams = 32;
    d.train.snippet = vimco ? 250 : 160;
    d.train.has_buffer = true;
    d.train.buffer_first = vimco ? 60 : 0;
    d.train.buffer_last = 30;
    d.train.steps = steps;
    d.train.rate = vimco ? 1e-3 : 3e-3;
    d.train.clip_norm = vimco ? 0.02 : 1;
    d.train.schedule.kind = VDI_SCHEDULE_COSINE;
    d.train.schedule.steps = steps;
    d.train.schedule.last = 0.02;
    return d;
}

/* The bound of 64 samples on the whole trace, mean of 20 draws. */
static double cell_bound(vdi_deepspike *net, vdi_deepspike_data *data, vdi_deepspike_train tr) {
    const int64_t zero = 0;
    vdi_deepspike_batch whole = {0};
    vdi_error err;
    double bound = 0, value;
    tr.estimator = VDI_DEEPSPIKE_VIMCO;
    tr.samples = 64;
    tr.snippet = CELL_T;
    tr.buffer_first = tr.buffer_last = 0;
    if (vdi_deepspike_set_train(net, &tr, &err) < 0) fail(&err);
    whole.count = 1;
    whole.trace = &zero;
    whole.start = &zero;
    whole.frames = CELL_T;
    for (int i = 0; i < 20; i++) {
        whole.draw = (uint64_t)i;
        if (vdi_deepspike_loss(net, data, &whole, &value, NULL, &err) < 0) fail(&err);
        bound += value / 20;
    }
    return bound;
}

/* Mean distances of a posterior from Gibbs sampling; covariances are those of neighbours. */
typedef struct distances {
    double marginal, marginal_active, covariance, covariance_of_gibbs;
} distances;

static distances cell_compare(const linear_cell *cell, const double *p,
                              const unsigned char *trains) {
    distances d = {0};
    double bins = 0;
    for (int t = 0; t < CELL_T; t++) {
        const double off = fabs(p[t] - cell->marginal[t]);
        d.marginal += off / CELL_T;
        if (cell->marginal[t] > 0.01) {
            d.marginal_active += off;
            bins++;
        }
        if (t + 1 == CELL_T) break;
        double both = 0, one = 0, other = 0;
        for (int i = 0; i < CELL_SAMPLES; i++) {
            const unsigned char *s = trains + i * CELL_T + t;
            both += s[0] * s[1];
            one += s[0];
            other += s[1];
        }
        const double truth = cell->adjacent[t] - cell->marginal[t] * cell->marginal[t + 1];
        d.covariance +=
            fabs(both / CELL_SAMPLES - one / CELL_SAMPLES * other / CELL_SAMPLES - truth) / CELL_T;
        d.covariance_of_gibbs += fabs(truth) / CELL_T;
    }
    d.marginal_active /= bins;
    return d;
}

static void cell_learn(linear_cell *cell, const vdi_calcium_desc *c, int family, bool vimco,
                       int64_t steps) {
    static double p[CELL_T];
    static unsigned char trains[CELL_SAMPLES * CELL_T];
    vdi_deepspike_desc desc = cell_learner(c, cell, family, vimco, steps);
    vdi_deepspike_data_desc dd = {0};
    vdi_deepspike_query q = {0};
    vdi_deepspike_result out = {0};
    vdi_deepspike *net;
    vdi_deepspike_data *data;
    vdi_error err;
    dd.traces = vdi_tensor_2d(cell->f, VDI_F64, 1, CELL_T);
    if (vdi_deepspike_create(&desc, &net, &err) < 0 ||
        vdi_deepspike_data_create(net, &dd, &data, &err) < 0 ||
        vdi_deepspike_fit(net, data, NULL, NULL, &err) < 0)
        fail(&err);
    q.samples = CELL_SAMPLES;
    out.probability = p;
    out.sample = trains;
    if (vdi_deepspike_infer(net, data, &q, &out, &err) < 0) fail(&err);
    const distances d = cell_compare(cell, p, trains);
    const double bound = cell_bound(net, data, desc.train);
    printf("%.2f | %s, %s: %.4f %.4f  %.5f %.5f  %.1f nats\n", cell->noise_ratio,
           family ? "correlated" : "factorised", vimco ? "VIMCO" : "wake-sleep", d.marginal,
           d.marginal_active, d.covariance, d.covariance_of_gibbs, bound);
    fflush(stdout);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
}

static int mcmc(int argc, char **argv) {
    static const double noise[3] = {-2.5, -1.6, -0.9};
    static linear_cell cell;
    const int64_t steps = (int64_t)option(argc, argv, "steps", 2000);
    const uint64_t seed = strtoull(argv[2], NULL, 10);
    const vdi_calcium_desc c = vdi_calcium_desc_defaults();
    printf("sigma / alpha | posterior: mean |marginal - Gibbs|, the same over bins above 0.01, "
           "covariance of neighbours off, of Gibbs, "
           "bound of 64 samples\n");
    for (int k = 0; k < 3; k++) {
        cell_make(&cell, &c, noise[k], seed);
        cell_learn(&cell, &c, 0, false, steps);
        cell_learn(&cell, &c, 0, true, steps);
        cell_learn(&cell, &c, 1, false, steps);
    }
    return 0;
}

static int variance(int argc, char **argv) {
    static const struct {
        const char *name;
        vdi_deepspike_estimator estimator;
        int64_t samples;
    } kind[] = {{"REINFORCE, no baseline, mean of 64 single samples", VDI_DEEPSPIKE_REINFORCE, 1},
                {"REINFORCE, the other 63 samples as baseline", VDI_DEEPSPIKE_REINFORCE, 64},
                {"VIMCO, 64 samples", VDI_DEEPSPIKE_VIMCO, 64},
                {"concrete, temperature 0.5, 64 samples", VDI_DEEPSPIKE_CONCRETE, 64}};
    const uint64_t seed = strtoull(argv[2], NULL, 10);
    const int64_t draws = (int64_t)option(argc, argv, "draws", 100);
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    const population p = simulate(&c, 4, 4000, 1000 + seed);
    vdi_deepspike_desc desc = {0};
    vdi_deepspike *net;
    vdi_error err;
    desc.generative = vdi_deepspike_calcium(&c);
    desc.train.steps = (int64_t)option(argc, argv, "steps", 300);
    desc.train.theta_factor = 100;
    desc.train.batch = 10;
    if (vdi_deepspike_create(&desc, &net, &err) < 0) fail(&err);
    vdi_deepspike_data *data = data_of(net, &p);
    if (vdi_deepspike_fit(net, data, NULL, NULL, &err) < 0) fail(&err);
    const int64_t trace[4] = {0, 0, 1, 2}, start[4] = {100, 1500, 900, 2000};
    const vdi_params *q = vdi_deepspike_params(net);
    double *sum = malloc(sizeof(double) * (size_t)(2 * q->total));
    for (size_t k = 0; k < sizeof kind / sizeof *kind; k++) {
        vdi_deepspike_train tr = desc.train;
        vdi_deepspike_batch batch = {0};
        double bound, scatter = 0, square = 0;
        tr.estimator = kind[k].estimator;
        tr.samples = kind[k].samples;
        if (vdi_deepspike_set_train(net, &tr, &err) < 0) fail(&err);
        batch.count = 4;
        batch.frames = 300;
        batch.trace = trace;
        batch.start = start;
        memset(sum, 0, sizeof(double) * (size_t)(2 * q->total));
        for (int64_t n = 0; n < draws; n++) {
            batch.draw = (uint64_t)n;
            if (vdi_deepspike_loss(net, data, &batch, &bound, NULL, &err) < 0) fail(&err);
            for (int64_t i = 0; i < q->total; i++) {
                const double g = ((const float *)q->grads)[i];
                sum[i] += g / (double)draws;
                sum[q->total + i] += g * g / (double)draws;
            }
        }
        for (int64_t i = 0; i < q->total; i++) {
            scatter += sum[q->total + i] - sum[i] * sum[i];
            square += sum[i] * sum[i];
        }
        if (kind[k].samples == 1) scatter /= 64;
        printf("%-52s standard deviation of the gradient %10.3f, length of its mean %10.3f\n",
               kind[k].name, sqrt(scatter), sqrt(square));
    }
    free(sum);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
    return 0;
}

/* ---- speed ----------------------------------------------------------------------------------- */

/* What this core reaches in a product that stays in its caches: the yardstick. */
static double peak_gflops(void) {
    enum { N = 192 };
    static float a[N * N], b[N * N], c[N * N];
    double best = 1e9;
    for (int i = 0; i < N * N; i++)
        a[i] = b[i] = 1e-3f;
    for (int k = 0; k < 200; k++) {
        const double t = thread_seconds();
        vdi_gemm(VDI_F32, 0, N, N, N, a, N, b, N, c, N);
        best = fmin(best, thread_seconds() - t);
    }
    return 2.0 * N * N * N / best / 1e9;
}
static void line(const char *what, double ms, double gflop, double peak) {
    printf("%-58s %9.4f ms", what, ms);
    if (gflop > 0)
        printf("   %3.0f %% of the peak (%.0f GFLOP/s)", 100 * gflop / (ms * 1e-3) / peak, peak);
    printf("\n");
}
/* CPU time of a pass over 30,000 bins, the best of 12. */
static double inference_seconds(vdi_deepspike *net, vdi_deepspike_data *data) {
    double *probability = malloc(sizeof(double) * 3 * 10000), best = 1e9;
    vdi_deepspike_result out = {0};
    vdi_deepspike_query q = {0};
    vdi_error err;
    out.probability = probability;
    q.samples = 1;
    for (int k = 0; k < 12; k++) {
        const double t = cpu_seconds();
        if (vdi_deepspike_infer(net, data, &q, &out, &err) < 0) fail(&err);
        best = fmin(best, cpu_seconds() - t);
    }
    free(probability);
    return best;
}

/* Time of 1000 frames of a stream, the best of 20. */
static double stream_seconds(vdi_deepspike *net, const float *f) {
    const size_t bytes = vdi_deepspike_stream_memsize(net, 1);
    void *memory = malloc(bytes);
    vdi_deepspike_stream *s;
    vdi_error err;
    double best = 1e9;
    if (vdi_deepspike_stream_init(net, 1, 0, 1, memory, bytes, &s, &err) < 0) fail(&err);
    for (int k = 0; k < 20; k++) {
        const double t = thread_seconds();
        for (int i = 0; i < 1000; i++) {
            float answer;
            (void)vdi_deepspike_stream_push(s, 1, f + i, &answer);
        }
        best = fmin(best, thread_seconds() - t);
    }
    free(memory);
    return best;
}

/* CPU time of a training step, the best of 12. */
static double step_seconds(vdi_deepspike *net, vdi_deepspike_data *data) {
    vdi_error err;
    double best = 1e9;
    for (int k = 0; k < 12; k++) {
        const double t = cpu_seconds();
        if (vdi_deepspike_step(net, data, NULL, &err) < 0) fail(&err);
        best = fmin(best, cpu_seconds() - t);
    }
    return best;
}

/* Multiplications a bin. */
static double macs_of(const vdi_deepspike *net, bool correlated) {
    const vdi_deepspike_desc *d = vdi_deepspike_description(net);
    double macs = 0;
    for (int i = 0; i < d->layers; i++)
        macs += (double)(d->channels[i] * d->width[i] * (i ? d->channels[i - 1] : 1));
    macs += (double)(d->head_width * d->channels[d->layers - 1]) *
            (correlated ? (double)d->features : 1);
    if (correlated) macs += 3 * 64 * (14 + 64 + 78 + 64) + 78 + 64;
    return macs;
}

static void speed_of(bool correlated, int threads, double peak) {
    const char *name = correlated ? "correlated" : "factorised";
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    vdi_deepspike_desc desc = {0};
    vdi_deepspike *net;
    vdi_error err;
    char text[96];
    c.model = correlated ? VDI_CALCIUM_SCDF : VDI_CALCIUM_AR1;
    desc.generative = vdi_deepspike_calcium(&c);
    desc.posterior = (vdi_deepspike_family)correlated;
    desc.train.batch = correlated ? 30 : 20;
    desc.train.snippet = correlated ? 250 : 300;
    desc.train.has_buffer = true;
    desc.train.buffer_first = 100;
    desc.train.buffer_last = 50;
    if (threads > 1 && vdi_pool_create(threads, NULL, &desc.pool, &err) < 0) fail(&err);
    if (vdi_deepspike_create(&desc, &net, &err) < 0) fail(&err);
    population p = simulate(&c, 1, 10000, 7);
    vdi_deepspike_data *data = data_of(net, &p);
    const double macs = macs_of(net, correlated);
    snprintf(text, sizeof text, "%s, inference, one sample, 1,000 bins", name);
    line(text, 1e3 * inference_seconds(net, data) / 30, 2e-6 * macs, peak);
    if (!correlated)
        line("factorised, one frame of a stream", stream_seconds(net, p.f), 2e-9 * macs, peak);
    snprintf(text, sizeof text, "%s, training step %s, CPU time of all threads", name,
             correlated ? "30 x 64 x 250" : "20 x 64 x 300");
    /* three products a weight: of the network once a snippet, of the forward unit once a sample */
    const double each = correlated ? 3 * 64 * 64 + 64 : 0;
    const double once = macs - each;
    line(text, 1e3 * step_seconds(net, data),
         6e-9 * (double)(desc.train.batch * desc.train.snippet) * (once + 64 * each), peak);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
    vdi_pool_destroy(desc.pool);
}

static int speed(int argc, char **argv) {
    const double peak = peak_gflops();
    const int threads = (int)option(argc, argv, "threads", 1);
    speed_of(false, threads, peak);
    speed_of(true, threads, peak);
    return 0;
}

int main(int argc, char **argv) {
    vdi_calcium_model model;
    if (argc < 3) {
        fprintf(stderr, "usage: deepspike ar1|ar2|scdf|mlphys|spine|bound|mcmc|variance|speed SEED "
                        "[name=value ...]\n");
        return 2;
    }
    if (!strcmp(argv[1], "speed")) return speed(argc, argv);
    if (!strcmp(argv[1], "spine")) return spine(argc, argv);
    if (!strcmp(argv[1], "bound")) return bound(argc, argv);
    if (!strcmp(argv[1], "mcmc")) return mcmc(argc, argv);
    if (!strcmp(argv[1], "variance")) return variance(argc, argv);
    if (vdi_calcium_find(argv[1], &model) && model != VDI_CALCIUM_SPINE)
        return learn(argc, argv, model);
    fprintf(stderr, "deepspike: there is no \"%s\"\n", argv[1]);
    return 2;
}
