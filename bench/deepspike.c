/* bench/deepspike.c - learning results of DeepSpike on simulations, and its speed: the tables of docs/deepspike.md
 *
 *     deepspike ar1|ar2|scdf|mlphys SEED [name=value ...]
 *         learns without labels (or with: estimator=4) from `cells` cells of 3 traces of `bins` bins at 60 Hz, 0.7, 1.0 and 1.2 spikes a second, and
 *         is scored on `unseen` other cells: the correlation of probability and spikes in bins of 1/60 s, mean over traces. Options: steps,
 *         posterior (0 factorised, 1 correlated), estimator (in the order of vdi_deepspike_estimator), batch, samples, snippet, first, last,
 *         rate, factor, final (cosine to that share of the rate), dreams, threads, every (steps between scores), clip, floor, from=FILE, save=FILE
 *     deepspike speed 0 [threads=N]
 *         CPU time of inference, a frame of a stream, and training steps, as shares of this core's peak too
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vdi.h"

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
    population p = {cells, bins, malloc(sizeof(float) * (size_t)(3 * cells * bins)), malloc(sizeof(float) * (size_t)(3 * cells * bins)),
                    malloc(sizeof(int64_t) * (size_t)(3 * cells)), malloc(sizeof(double) * (size_t)(cells * VDI_CALCIUM_PARAMS))};
    vdi_error err;
    for (int64_t i = 0; i < cells; i++) {
        vdi_rng rng = vdi_rng_make(seed, (uint64_t)i);
        vdi_calcium_draw(c, &rng, p.theta + i * VDI_CALCIUM_PARAMS);
        for (int k = 0; k < 3; k++) {
            float *s = p.s + (3 * i + k) * bins;
            for (int64_t t = 0; t < bins; t++) s[t] = (float)vdi_rng_poisson(&rng, rate[k] * c->bin);
            if (vdi_calcium_sample(c, p.theta + i * VDI_CALCIUM_PARAMS, VDI_F32, bins, s, 0, &rng, NULL, p.f + (3 * i + k) * bins, &err) < 0) fail(&err);
            p.cell[3 * i + k] = i;
        }
    }
    return p;
}
static double correlation(int64_t n, const double *x, const float *y) {
    double sx = 0, sy = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) sx += x[i], sy += y[i], xx += x[i] * x[i], yy += (double)y[i] * y[i], xy += x[i] * y[i];
    return (xy - sx * sy / (double)n) / sqrt((xx - sx * sx / (double)n) * (yy - sy * sy / (double)n));
}
/* mean correlation over traces, and expected spikes over true ones */
static double score(vdi_deepspike *net, vdi_deepspike_data *data, const population *p, double *ratio) {
    const int64_t n = 3 * p->cells;
    double *probability = malloc(sizeof(double) * (size_t)(n * p->bins)), sum = 0, found = 0, truth = 0;
    vdi_deepspike_result out = {0};
    vdi_deepspike_query q = {0};
    vdi_error err;
    out.probability = probability;
    if (vdi_deepspike_infer(net, data, &q, &out, &err) < 0) fail(&err);
    for (int64_t i = 0; i < n; i++) {
        sum += correlation(p->bins, probability + i * p->bins, p->s + i * p->bins);
        for (int64_t t = 0; t < p->bins; t++) found += probability[i * p->bins + t], truth += p->s[i * p->bins + t];
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

static int learn(int argc, char **argv, vdi_calcium_model model) {
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    vdi_deepspike_desc desc = {0};
    vdi_deepspike_train *tr = &desc.train;
    vdi_deepspike *net;
    vdi_error err;
    const uint64_t seed = strtoull(argv[2], NULL, 10);
    c.model = model;
    const population seen = simulate(&c, (int64_t)option(argc, argv, "cells", 30), (int64_t)option(argc, argv, "bins", 10000), 1000 + seed);
    const population unseen = simulate(&c, (int64_t)option(argc, argv, "unseen", 30), seen.bins, 2000 + seed);
    desc.generative = vdi_deepspike_calcium(&c);
    desc.posterior = (vdi_deepspike_family)option(argc, argv, "posterior", model == VDI_CALCIUM_AR1 ? 0 : 1);
    desc.floor = option(argc, argv, "floor", 0);
    tr->estimator = (vdi_deepspike_estimator)option(argc, argv, "estimator", 0);
    tr->steps = (int64_t)option(argc, argv, "steps", 5000);
    tr->batch = (int64_t)option(argc, argv, "batch", model == VDI_CALCIUM_AR1 ? 20 : 30);
    tr->samples = (int64_t)option(argc, argv, "samples", 64);
    tr->snippet = (int64_t)option(argc, argv, "snippet", model == VDI_CALCIUM_AR1 ? 300 : 250);
    tr->has_buffer = true;
    tr->buffer_first = (int64_t)option(argc, argv, "first", 100), tr->buffer_last = (int64_t)option(argc, argv, "last", 50);
    tr->rate = option(argc, argv, "rate", 1e-3);
    tr->theta_factor = option(argc, argv, "factor", model == VDI_CALCIUM_AR1 ? 30 : 15);
    tr->clip_norm = option(argc, argv, "clip", 0);
    tr->dreams = (int64_t)option(argc, argv, "dreams", 0);
    tr->temperature = option(argc, argv, "temperature", 0);
    tr->schedule.kind = VDI_SCHEDULE_STEP, tr->schedule.factor = 0.995, tr->schedule.every = model == VDI_CALCIUM_AR1 ? 200 : 100;
    const double final = option(argc, argv, "final", 0);
    if (final > 0) tr->schedule.kind = VDI_SCHEDULE_COSINE, tr->schedule.steps = tr->steps, tr->schedule.last = final;
    tr->seed = seed;
    const int threads = (int)option(argc, argv, "threads", 1);
    if (threads > 1 && vdi_pool_create(threads, NULL, &desc.pool, &err) < 0) fail(&err);
    if (vdi_deepspike_create(&desc, &net, &err) < 0) fail(&err);
    vdi_deepspike_data *data = data_of(net, &seen), *test = data_of(net, &unseen);
    const char *from = option_text(argc, argv, "from"), *save = option_text(argc, argv, "save");
    if (from) {
        vdi_safetensors file;
        if (vdi_safetensors_load(from, NULL, &file, &err) < 0 || vdi_safetensors_copy_to(&file, vdi_deepspike_state(net, data, true), &err) < 0) fail(&err);
        vdi_safetensors_free(&file);
    }
    const int64_t every = (int64_t)option(argc, argv, "every", 500);
    double bound = 0, sleep = 0, norm = 0, start = cpu_seconds(), ratio, ratio_seen;
    int64_t since = 0;
    const int alpha = (int)desc.generative.amplitude, P = (int)desc.generative.theta_count;
    for (;;) {
        vdi_deepspike_progress p;
        const vdi_status status = vdi_deepspike_step(net, data, &p, &err);
        if (status < 0) fail(&err);
        if (status == VDI_END) break;
        bound += p.bound, sleep += p.sleep, norm += p.norm, since++;
        if (p.step % every && p.step != p.steps) continue;
        const double spent = cpu_seconds() - start, r = score(net, test, &unseen, &ratio), own = score(net, data, &seen, &ratio_seen);
        double off[VDI_CALCIUM_PARAMS] = {0};
        for (int64_t i = 0; i < seen.cells; i++)
            for (int k = 0; k < P; k++) off[k] += fabs(vdi_deepspike_data_theta(data, i)[k] - seen.theta[i * VDI_CALCIUM_PARAMS + k]) / (double)seen.cells;
        printf("step %5lld  bound %8.5f  sleep %8.5f  norm %7.4f  unseen %.4f (count %.3f)  seen %.4f (%.3f)  alpha off %.3f  %7.1f s  theta off", (long long)p.step,
               bound / (double)since, sleep / (double)since, norm / (double)since, r, ratio, own, ratio_seen, off[alpha], spent);
        for (int k = 0; k < P; k++) printf(" %.2f", off[k]);
        printf("\n");
        fflush(stdout);
        bound = sleep = norm = 0, since = 0;
        if (save && vdi_safetensors_save(save, vdi_deepspike_state(net, data, true), &err) < 0) fail(&err);
        start = cpu_seconds() - spent;
    }
    vdi_deepspike_data_destroy(data), vdi_deepspike_data_destroy(test);
    vdi_deepspike_destroy(net);
    vdi_pool_destroy(desc.pool);
    return 0;
}

/* ---- speed ----------------------------------------------------------------------------------------------------------------------- */

/* What this core reaches in a product that stays in its caches: the yardstick. */
static double peak_gflops(void) {
    enum { N = 192 };
    static float a[N * N], b[N * N], c[N * N];
    double best = 1e9;
    for (int i = 0; i < N * N; i++) a[i] = b[i] = 1e-3f;
    for (int k = 0; k < 200; k++) {
        const double t = thread_seconds();
        vdi_gemm(VDI_F32, 0, N, N, N, a, N, b, N, c, N);
        best = fmin(best, thread_seconds() - t);
    }
    return 2.0 * N * N * N / best / 1e9;
}
static void line(const char *what, double ms, double gflop, double peak) {
    printf("%-58s %9.4f ms", what, ms);
    if (gflop > 0) printf("   %3.0f %% of the peak (%.0f GFLOP/s)", 100 * gflop / (ms * 1e-3) / peak, peak);
    printf("\n");
}
static int speed(int argc, char **argv) {
    const double peak = peak_gflops();
    vdi_error err;
    for (int family = 0; family < 2; family++) {
        vdi_calcium_desc c = vdi_calcium_desc_defaults();
        vdi_deepspike_desc desc = {0};
        vdi_deepspike *net;
        const char *name = family ? "correlated" : "factorised";
        char text[96];
        c.model = family ? VDI_CALCIUM_SCDF : VDI_CALCIUM_AR1;
        desc.generative = vdi_deepspike_calcium(&c);
        desc.posterior = (vdi_deepspike_family)family;
        desc.train.batch = family ? 30 : 20, desc.train.snippet = family ? 250 : 300;
        desc.train.has_buffer = true, desc.train.buffer_first = 100, desc.train.buffer_last = 50;
        const int threads = (int)option(argc, argv, "threads", 1);
        if (threads > 1 && vdi_pool_create(threads, NULL, &desc.pool, &err) < 0) fail(&err);
        if (vdi_deepspike_create(&desc, &net, &err) < 0) fail(&err);
        population p = simulate(&c, 1, 10000, 7);
        vdi_deepspike_data *data = data_of(net, &p);
        double *probability = malloc(sizeof(double) * 3 * 10000), best = 1e9;
        vdi_deepspike_result out = {0};
        vdi_deepspike_query q = {0};
        out.probability = probability, q.samples = 1;
        double macs = 0;
        const vdi_deepspike_desc *d = vdi_deepspike_description(net);
        for (int i = 0; i < d->layers; i++) macs += (double)(d->channels[i] * d->width[i] * (i ? d->channels[i - 1] : 1));
        macs += (double)(d->head_width * d->channels[d->layers - 1]) * (family ? (double)d->features : 1);
        if (family) macs += 3 * 64 * (14 + 64 + 78 + 64) + 78 + 64;
        for (int k = 0; k < 12; k++) {
            const double t = cpu_seconds();
            if (vdi_deepspike_infer(net, data, &q, &out, &err) < 0) fail(&err);
            best = fmin(best, cpu_seconds() - t);
        }
        snprintf(text, sizeof text, "%s, inference, one sample, 1,000 bins", name);
        line(text, 1e3 * best / 30, 2e-6 * macs, peak);
        if (!family) {
            const size_t bytes = vdi_deepspike_stream_memsize(net, 1);
            void *memory = malloc(bytes);
            vdi_deepspike_stream *s;
            if (vdi_deepspike_stream_init(net, 1, 0, 1, memory, bytes, &s, &err) < 0) fail(&err);
            best = 1e9;
            for (int k = 0; k < 20; k++) {
                const double t = thread_seconds();
                for (int i = 0; i < 1000; i++) {
                    float answer;
                    (void)vdi_deepspike_stream_push(s, 1, p.f + i, &answer);
                }
                best = fmin(best, thread_seconds() - t);
            }
            free(memory);
            line("factorised, one frame of a stream", best, 2e-9 * macs, peak);
        }
        best = 1e9;
        for (int k = 0; k < 12; k++) {
            const double t = cpu_seconds();
            if (vdi_deepspike_step(net, data, NULL, &err) < 0) fail(&err);
            best = fmin(best, cpu_seconds() - t);
        }
        snprintf(text, sizeof text, "%s, training step %s, CPU time of all threads", name, family ? "30 x 64 x 250" : "20 x 64 x 300");
        /* three products a weight: of the network once a snippet, of the forward unit once a sample */
        const double once = macs - (family ? 3 * 64 * 64 + 64 : 0), each = family ? 3 * 64 * 64 + 64 : 0;
        line(text, 1e3 * best, 6e-9 * (double)(desc.train.batch * desc.train.snippet) * (once + 64 * each), peak);
        vdi_deepspike_data_destroy(data);
        vdi_deepspike_destroy(net);
        vdi_pool_destroy(desc.pool);
    }
    return 0;
}

int main(int argc, char **argv) {
    vdi_calcium_model model;
    if (argc < 3) return fprintf(stderr, "usage: deepspike ar1|ar2|scdf|mlphys|speed SEED [name=value ...]\n"), 2;
    if (!strcmp(argv[1], "speed")) return speed(argc, argv);
    if (vdi_calcium_find(argv[1], &model) && model != VDI_CALCIUM_SPINE) return learn(argc, argv, model);
    return fprintf(stderr, "deepspike: there is no \"%s\"\n", argv[1]), 2;
}
