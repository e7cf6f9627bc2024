/* scripts/pretrain.c - how the pretrained spike network is made, from simulated cells and a seed
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION scripts/pretrain.c -o pretrain -lm -pthread
 *     ./pretrain                    a short taste
 *     make pretrain                 the real run, which writes model/pretrained/weights.h
 *
 * Everything that decides the weights stands here, so that anybody can make them again.
 *
 * A pool of simulated traces is kept, and a few of them are replaced in every step, so that no
 * trace is seen often; of a long one up to a minute is kept, with the statistics of all of it. A
 * batch is 24 crops of 768 samples at 60 Hz. The loss has four parts, of which the first two are
 * weighted by the trace's rate, so that busy cells do not drown quiet ones:
 *   - the negative log likelihood of the true spike counts under independent Poisson bins,
 *   - that of the counts in windows of 200 ms under negative binomial distributions, whose spread
 *     the network tells: in bursts, and where the height of one spike is uncertain, counts vary
 *     more than Poisson's, and a network that knows it is not drawn to the loudest events,
 *   - the squared error of rates smoothed by 100 ms, over their variance in the crop,
 *   - the squared error of the denoised trace.
 * Adam with a warm-up and a cosine; what is shipped is the moving average of the weights. Networks
 * of several seeds (members) are trained one after the other, and shipped as one network whose
 * results are averaged. They do not all believe the same of cells: the first one (see plain_member)
 * knows single spikes and short episodes alone, and dyes of any decay with a rise of any length.
 *
 * Options: --steps N  --seed N  --members M (seeds N ... N+M-1)  --out HEADER
 * --checkpoint PREFIX (of a file for each seed, written now and then and on Ctrl-C; a run whose
 * file is there goes on from it and ends in the same bits)  --set FIELD=VALUE (of the population:
 * rate.low=0.1)  --size CHANNELS,WIDTH,LAYERS,CONTEXT,HIDDEN.
 */
#include "vdi.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 24, CROP = 768, EDGE = 48, LENGTH = 3600, POOL = 3072, FRESH = 6, SPIKES = 131072 };
/* samples of a window of 200 ms; of the smoothing: its reach in samples */
enum { WINDOW = 12, REACH = 18 };
enum { STATS = VDI_PRETRAINED_STATS, PARAMS = VDI_PRETRAINED_PARAMS };
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    fprintf(stderr, "pretrain: %s: %s\n", err.where, err.message);
    exit(1);
}

static void *reserve(size_t count, size_t size) {
    void *p = malloc(count * size);
    if (p) return p;
    fputs("pretrain: no memory\n", stderr);
    exit(1);
}

/* ---- the pool: the last `size` cells of the stream of cells --------------------------------- */

typedef struct pool {
    vdi_population_desc population;
    uint64_t seed;
    int64_t size, cells; /* cells made so far; cell i stands in slot i % size */
    float *x, *clean;    /* (size,LENGTH): prepared traces, with and without noise */
    uint8_t *count;      /* (size,LENGTH): true spikes */
    int64_t *known;      /* (size): samples that are there; the last one is held behind them */
    float *stats;        /* (size,STATS) */
    /* scratch for one cell */
    void *work, *prepare;
    size_t prepare_size;
    float *trace, *quiet, *grid;
    double *spike, *sum;
} pool;

static void pool_create(pool *p, int64_t size) {
    const double fps = p->population.high_frames.high;
    const int64_t frames = (int64_t)(p->population.seconds.high * fps) + 4;
    const int64_t samples = (int64_t)(p->population.seconds.high * VDI_PRETRAINED_GRID) + 512;
    const size_t n = (size_t)size, length = (size_t)frames;
    p->size = size;
    p->prepare_size = vdi_pretrained_prepare_memsize(frames, 60);
    p->prepare_size += vdi_pretrained_prepare_memsize(frames, fps);
    p->x = reserve(n * LENGTH, sizeof *p->x);
    p->clean = reserve(n * LENGTH, sizeof *p->clean);
    p->count = reserve(n * LENGTH, 1);
    p->known = reserve(n, sizeof *p->known);
    p->stats = reserve(n * STATS, sizeof *p->stats);
    p->grid = reserve((size_t)samples, sizeof *p->grid);
    p->work = reserve(vdi_cell_memsize(&p->population), 1);
    p->prepare = reserve(p->prepare_size, 1);
    p->trace = reserve(length, sizeof *p->trace);
    p->quiet = reserve(length, sizeof *p->quiet);
    p->spike = reserve(SPIKES, sizeof *p->spike);
    p->sum = reserve(length + 1, sizeof *p->sum);
}

static void pool_destroy(pool *p) {
    free(p->sum);
    free(p->spike);
    free(p->quiet);
    free(p->trace);
    free(p->prepare);
    free(p->work);
    free(p->grid);
    free(p->stats);
    free(p->known);
    free(p->count);
    free(p->clean);
    free(p->x);
}

/* Bring the noiseless trace to the scale and grid of the prepared one, into p->grid (samples). */
static void clean_to_grid(pool *p, const vdi_cell *cell, const vdi_prepared *ready) {
    const bool fast = cell->frame_rate > 1.05 * VDI_PRETRAINED_GRID;
    const double scale = ready->scale > 0 ? ready->scale : 1;
    if (fast) {
        vdi_pretrained_to_grid(cell->frames, p->quiet, cell->frame_rate, p->sum, ready->samples,
                               p->grid);
    }
    float *y = fast ? p->grid : p->quiet; /* the points whose baseline is known */
    for (int64_t i = 0; i < ready->points; i++) {
        const double above = (double)y[i] - ready->offset - (double)ready->baseline[i];
        y[i] = (float)(above / scale);
    }
    if (!fast) {
        vdi_pretrained_to_grid(cell->frames, p->quiet, cell->frame_rate, p->sum, ready->samples,
                               p->grid);
    }
}

/* Count the spikes of each sample of the grid, from sample `first` on, into count (LENGTH). */
static void count_spikes(const double *spike, int64_t spikes, int64_t first, int64_t known,
                         uint8_t *count) {
    memset(count, 0, LENGTH);
    for (int64_t i = 0; i < spikes; i++) {
        const double at = floor(spike[i] * VDI_PRETRAINED_GRID + 0.5) - (double)first;
        if (at < 0 || at >= (double)known) continue;
        if (count[(int)at] < 255) count[(int)at]++;
    }
}

/* Keep up to LENGTH samples of a prepared cell, from anywhere in it. */
static void pool_keep(pool *p, const vdi_prepared *ready, int64_t spikes) {
    const size_t slot = (size_t)(p->cells % p->size);
    const int64_t known = ready->samples < LENGTH ? ready->samples : LENGTH;
    const uint64_t places = (uint64_t)(ready->samples - known) / 2 + 1;
    vdi_rng rng = vdi_rng_make(p->seed ^ 0x77696e64u, (uint64_t)p->cells);
    const int64_t first = 2 * (int64_t)vdi_rng_below(&rng, places);
    float *x = p->x + slot * LENGTH, *clean = p->clean + slot * LENGTH;
    for (int64_t i = 0; i < LENGTH; i++) {
        const int64_t from = first + (i < known ? i : known - 1);
        x[i] = ready->x[from];
        clean[i] = p->grid[from];
    }
    count_spikes(p->spike, spikes, first, known, p->count + slot * LENGTH);
    memcpy(p->stats + slot * STATS, ready->stats, sizeof ready->stats);
    p->known[slot] = known;
    p->cells++;
}

/* Simulate the next cell into its slot. */
static void pool_add(pool *p) {
    vdi_cell cell;
    vdi_prepared ready;
    if (vdi_population_draw(&p->population, p->seed, (uint64_t)p->cells, &cell) < 0)
        need(vdi_population_desc_check(&p->population, &err));
    int64_t spikes =
        vdi_cell_simulate(&p->population, &cell, p->work, p->trace, p->quiet, p->spike, SPIKES);
    if (spikes > SPIKES) spikes = SPIKES;
    need(vdi_pretrained_prepare(VDI_F32, cell.frames, p->trace, cell.frame_rate, p->prepare,
                                p->prepare_size, &ready, &err));
    clean_to_grid(p, &cell, &ready);
    pool_keep(p, &ready, spikes);
}

/* The pool as it is at this step: its last cells, whichever they are. */
static void pool_fill(pool *p, uint64_t seed, int64_t step) {
    p->seed = seed;
    p->cells = step > 0 ? (step - 1) * FRESH : 0;
    for (int64_t i = 0; i < p->size; i++)
        pool_add(p);
}

/* ---- one step ------------------------------------------------------------------------------- */

typedef struct batch {
    float x[BATCH * CROP], clean[BATCH * CROP], count[BATCH * CROP];
    float mask[BATCH * CROP]; /* 1 where a sample counts: not at the ends of a crop, unless they are
                                 the trace's own, and not behind the trace */
    float stats[BATCH * STATS], weight[BATCH];
    double smoothed; /* weight of the squared error of smoothed rates */
} batch;

/* Crops of batch `index`: which ones depends on nothing but the seed and that number. */
static void batch_draw(const pool *p, uint64_t seed, uint64_t index, batch *b) {
    vdi_rng rng = vdi_rng_make(seed ^ 0x62617463u, index);
    for (size_t i = 0; i < BATCH; i++) {
        const size_t slot = (size_t)vdi_rng_below(&rng, (uint64_t)p->size);
        const size_t known = (size_t)p->known[slot];
        const size_t places = known > CROP ? (known - CROP) / 2 + 1 : 1;
        const size_t first = 2 * (size_t)vdi_rng_below(&rng, places), at = slot * LENGTH + first;
        memcpy(b->x + i * CROP, p->x + at, CROP * sizeof *b->x);
        memcpy(b->clean + i * CROP, p->clean + at, CROP * sizeof *b->clean);
        memcpy(b->stats + i * STATS, p->stats + slot * STATS, STATS * sizeof *b->stats);
        for (size_t k = 0; k < CROP; k++) {
            const bool begins = k >= EDGE || first == 0;
            const bool ends = k < CROP - EDGE || first + CROP >= known;
            b->count[i * CROP + k] = (float)p->count[at + k];
            b->mask[i * CROP + k] = begins && ends && first + k < known;
        }
        double spikes = 0; /* a busy trace counts less, so that it does not drown the quiet ones */
        for (size_t k = 0; k < known; k++)
            spikes += p->count[slot * LENGTH + k];
        const double rate = spikes * VDI_PRETRAINED_GRID / (double)known;
        b->weight[i] = (float)pow(0.3 + rate, -0.4);
    }
}

/* ---- the loss of the counts, an operation of its own ----------------------------------------- */

/* What is minimised of spikes m and spread a (BATCH,CROP), and its gradients. */
typedef struct count_loss {
    const float *m, *a;
    float *dm, *da;
    const batch *b;
    double total; /* samples that count */
} count_loss;

/* m - n log m per sample. */
static double poisson_loss(const count_loss *l) {
    double sum = 0;
    for (int i = 0; i < BATCH * CROP; i++) {
        const batch *b = l->b;
        const double w = (double)b->mask[i] * (double)b->weight[i / CROP] / l->total;
        const double n = (double)b->count[i], m = (double)l->m[i] + 1e-6;
        sum += w * (m - n * log(m));
        l->dm[i] += (float)(0.5 * w * (1 - n / m));
    }
    return sum;
}

/* Of one window of expectation M, spread A and N spikes: -log NB without what does not depend on M
 * and
 * A, which is (N + 1/A) log(1 + A M) - N log M - sum_{j<N} log(1 + A j). */
static double window_loss(double M, double A, int N, double *dM, double *dA) {
    const double grown = 1 + A * M, log_grown = log1p(A * M);
    double loss = (N + 1 / A) * log_grown - N * log(M);
    *dM = (N * A + 1) / grown - N / M;
    *dA = (N + 1 / A) * M / grown - log_grown / (A * A);
    for (int j = 1; j < N; j++) {
        loss -= log1p(A * j);
        *dA -= j / (1 + A * j);
    }
    return loss;
}

static double negative_binomial_loss(const count_loss *l) {
    double sum = 0;
    for (int i = 0; i < BATCH * CROP; i += WINDOW) {
        const batch *b = l->b;
        const double w = (double)b->weight[i / CROP] / l->total;
        double M = 1e-6, A = 1e-4, N = 0, seen = 0, dM, dA;
        for (int k = i; k < i + WINDOW; k++) {
            M += (double)l->m[k];
            A += (double)l->a[k] / WINDOW;
            N += (double)b->count[k];
            seen += (double)b->mask[k];
        }
        if (seen < WINDOW) continue;
        sum += w * window_loss(M, A, (int)N, &dM, &dA);
        for (int k = i; k < i + WINDOW; k++) {
            l->dm[k] += (float)(0.5 * w * dM);
            l->da[k] += (float)(0.5 * w * dA / WINDOW);
        }
    }
    return sum;
}

/* y = x (CROP) smoothed by a Gaussian of 100 ms. */
static void smooth(const float *x, float *y) {
    const double sd = 0.1 * VDI_PRETRAINED_GRID;
    double sum = 0;
    float w[REACH + 1];
    for (int k = -REACH; k <= REACH; k++)
        sum += exp(-0.5 * k * k / (sd * sd));
    for (int k = 0; k <= REACH; k++)
        w[k] = (float)(exp(-0.5 * k * k / (sd * sd)) / sum);
    for (int i = 0; i < CROP; i++)
        y[i] = w[0] * x[i];
    for (int k = 1; k <= REACH; k++) {
        for (int i = k; i < CROP; i++)
            y[i] += w[k] * x[i - k];
        for (int i = 0; i + k < CROP; i++)
            y[i] += w[k] * x[i + k];
    }
}

/* Squared error of the smoothed rate of crop i, over its variance (at least that of 0.3 Hz). */
static double smoothed_loss(const count_loss *l, int i) {
    static float x[CROP], s[CROP];
    const float *mask = l->b->mask + i * CROP, *count = l->b->count + i * CROP;
    const float *m = l->m + i * CROP;
    double seen = 0, sum = 0, square = 0, error = 0;
    for (int k = 0; k < CROP; k++) {
        x[k] = count[k] * mask[k];
        seen += (double)mask[k];
    }
    if (seen < VDI_PRETRAINED_GRID) return 0;
    smooth(x, s);
    for (int k = 0; k < CROP; k++) {
        sum += (double)(mask[k] * s[k]);
        square += (double)(mask[k] * s[k] * s[k]);
        x[k] = (m[k] - count[k]) * mask[k];
    }
    const double floor_variance = 0.3 / VDI_PRETRAINED_GRID * 0.047; /* 0.047: of the Gaussian */
    const double variance = square / seen - sum * sum / seen / seen + floor_variance;
    const double scale = l->b->smoothed / (variance * seen * BATCH);
    smooth(x, s);
    for (int k = 0; k < CROP; k++)
        error += (double)(s[k] * s[k]);
    smooth(s, x);
    for (int k = 0; k < CROP; k++)
        l->dm[i * CROP + k] += (float)(2 * scale) * x[k] * mask[k];
    return scale * error;
}

/* in: spikes, spread; out: the loss, and its Poisson part alone; saved: both gradients. */
static vdi_status count_loss_forward(vdi_custom *c, void *user, vdi_error *e) {
    count_loss l;
    (void)e;
    l.b = user;
    l.m = c->in[0].data;
    l.a = c->in[1].data;
    l.dm = c->saved;
    l.da = l.dm + BATCH * CROP;
    l.total = 1e-9;
    memset(c->saved, 0, 2 * BATCH * CROP * sizeof(float));
    for (int i = 0; i < BATCH * CROP; i++)
        l.total += (double)l.b->mask[i];
    const double poisson = poisson_loss(&l);
    double loss = 0.5 * (poisson + negative_binomial_loss(&l));
    for (int i = 0; i < BATCH && l.b->smoothed > 0; i++)
        loss += smoothed_loss(&l, i);
    *(float *)c->out[0].data = (float)loss;
    *(float *)c->out[1].data = (float)poisson;
    return VDI_OK;
}

static vdi_status count_loss_backward(vdi_custom *c, void *user, vdi_error *e) {
    (void)user;
    (void)e;
    if (!vdi_tensor_ok(c->dout[0])) return VDI_OK;
    const float g = *(const float *)c->dout[0].data, *d = c->saved;
    for (int k = 0; k < 2; k++) {
        float *to = vdi_tensor_ok(c->din[k]) ? c->din[k].data : NULL;
        for (int i = 0; to && i < BATCH * CROP; i++)
            to[i] += g * d[k * BATCH * CROP + i];
    }
    return VDI_OK;
}

/* All of it; *poisson is there to be printed. */
static vdi_var loss_of(vdi_tape *t, const vdi_pretrained_desc *d, const vdi_param *params, batch *b,
                       vdi_var *poisson) {
    const int64_t one[1] = {1};
    vdi_var x = vdi_tape_constant(t, vdi_tensor_2d(b->x, VDI_F32, BATCH, CROP));
    vdi_var stats = vdi_tape_constant(t, vdi_tensor_2d(b->stats, VDI_F32, BATCH, STATS));
    vdi_var target = vdi_tape_constant(t, vdi_tensor_2d(b->clean, VDI_F32, BATCH, CROP));
    vdi_var mask = vdi_tape_constant(t, vdi_tensor_2d(b->mask, VDI_F32, BATCH, CROP));
    const vdi_pretrained_vars said = vdi_pretrained_apply(t, d, params, x, stats);
    const vdi_var in[2] = {said.spikes, said.spread};
    const vdi_tensor shape[2] = {vdi_tensor_view(NULL, VDI_F32, 1, one),
                                 vdi_tensor_view(NULL, VDI_F32, 1, one)};
    vdi_var out[2];
    vdi_custom_desc op = {0};
    op.name = "count_loss";
    op.inputs = op.outputs = 2;
    op.input = in;
    op.output = shape;
    op.saved_bytes = 2 * BATCH * CROP * sizeof(float);
    op.forward = count_loss_forward;
    op.backward = count_loss_backward;
    op.user = b;
    (void)vdi_var_custom(t, &op, out);
    vdi_var error = vdi_var_square(t, vdi_var_sub(t, said.clean, target));
    vdi_var clean = vdi_var_mean(t, vdi_var_mul(t, error, mask));
    *poisson = out[1];
    return vdi_var_add(t, vdi_var_sum(t, out[0]), vdi_var_mul_scalar(t, clean, 0.03));
}

/* ---- a run: the network of one seed --------------------------------------------------------- */

typedef struct training {
    const vdi_pretrained_desc *desc;
    uint64_t seed;
    int64_t steps;
    const char *checkpoint; /* a file, or NULL */
    vdi_pretrained *net, *mean;
    vdi_params *params, *average; /* of net and mean */
    vdi_optim *optim;
    vdi_tape *tape;
    vdi_state state; /* weights, their average under "average.", the optimiser's memory */
    vdi_named_tensor list[4 * PARAMS + 1];
    char name[PARAMS][VDI_PARAM_NAME + 16];
    batch b;
} training;

static volatile sig_atomic_t stop;
static void on_interrupt(int signal_number) {
    (void)signal_number;
    stop = 1;
}

static void append(training *r, const char *name, vdi_tensor tensor) {
    r->list[r->state.tensor_count].name = name;
    r->list[r->state.tensor_count].tensor = tensor;
    r->state.tensor_count++;
}

/* Everything that a run goes on from, as one list of tensors. */
static void training_state(training *r) {
    const vdi_state *memory = vdi_optim_state(r->optim);
    r->state.tensors = r->list;
    for (int64_t i = 0; i < r->params->count; i++)
        append(r, r->params->item[i].name, r->params->item[i].value);
    for (int64_t i = 0; i < r->params->count; i++) {
        snprintf(r->name[i], sizeof r->name[i], "average.%s", r->params->item[i].name);
        append(r, r->name[i], r->average->item[i].value);
    }
    for (int64_t i = 0; i < memory->tensor_count; i++)
        append(r, memory->tensors[i].name, memory->tensors[i].tensor);
}

static void training_create(training *r) {
    const int64_t steps =
        r->steps > 100 ? r->steps * 4 / 3 - 100 : 1; /* cut off at three quarters */
    vdi_optim_desc adam = {.rate = 2e-3, .beta2 = 0.99, .clip_norm = 1};
    vdi_rng rng = vdi_rng_make(r->seed, UINT64_MAX);
    adam.schedule.kind = VDI_SCHEDULE_COSINE;
    adam.schedule.warmup = 100;
    adam.schedule.steps = steps;
    need(vdi_pretrained_create_random(r->desc, NULL, &rng, &r->net, &err));
    need(vdi_pretrained_create_random(r->desc, NULL, NULL, &r->mean, &err));
    r->params = vdi_pretrained_params(r->net);
    r->average = vdi_pretrained_params(r->mean);
    need(vdi_optim_create(&adam, r->params, NULL, &r->optim, &err));
    need(vdi_tape_create(NULL, &r->tape, &err));
    training_state(r);
}

static void training_destroy(training *r) {
    vdi_tape_destroy(r->tape);
    vdi_optim_destroy(r->optim);
    vdi_pretrained_destroy(r->mean);
    vdi_pretrained_destroy(r->net);
}

/* Go on from the checkpoint, if it is there. */
static bool training_resume(training *r) {
    vdi_safetensors file;
    FILE *there = r->checkpoint ? fopen(r->checkpoint, "rb") : NULL;
    if (!there) return false;
    fclose(there);
    need(vdi_safetensors_load(r->checkpoint, NULL, &file, &err));
    need(vdi_safetensors_copy_to(&file, &r->state, &err));
    vdi_safetensors_free(&file);
    return true;
}

static void training_save(training *r) {
    if (r->checkpoint) need(vdi_safetensors_save(r->checkpoint, &r->state, &err));
}

/* What statistics are usual, from the first pool: the first two parameters. */
static void standardise(training *r, const pool *p) {
    float *centre = r->params->item[0].value.data, *spread = r->params->item[1].value.data;
    for (int k = 0; k < STATS; k++) {
        double sum = 0, square = 0;
        for (int64_t i = 0; i < p->size; i++)
            sum += (double)p->stats[i * STATS + k];
        sum /= (double)p->size;
        for (int64_t i = 0; i < p->size; i++)
            square += pow((double)p->stats[i * STATS + k] - sum, 2);
        centre[k] = (float)sum;
        spread[k] = (float)(sqrt(square / (double)p->size) + 1e-3);
    }
    need(vdi_params_mix(r->average, r->params, 1, &err));
}

/* One step; returns the loss. */
static double training_step(training *r, pool *p, int64_t step) {
    vdi_var poisson;
    for (int i = 0; i < FRESH && step > 0; i++)
        pool_add(p);
    batch_draw(p, r->seed, (uint64_t)step, &r->b);
    vdi_tape_reset(r->tape);
    vdi_params_zero_grad(r->params);
    vdi_tape_backward(r->tape, loss_of(r->tape, r->desc, r->params->item, &r->b, &poisson));
    need(vdi_tape_status(r->tape, &err));
    const double loss = vdi_tape_item(r->tape, poisson);
    need(vdi_optim_step(r->optim, &err));
    const double share = step < 1000 ? 1.0 / (double)(step / 4 + 1) : 0.004;
    need(vdi_params_mix(r->average, r->params, share, &err));
    return loss;
}

/* Train, and put the average of the weights into `into`. 0, or 130 if interrupted. */
static int train(training *r, pool *p, vdi_param *into) {
    training_create(r);
    const bool resumed = training_resume(r);
    const int64_t every = r->steps > 1000 ? 250 : r->steps > 5 ? r->steps / 5 : 1;
    int64_t step = vdi_optim_steps(r->optim);
    double recent = 0;
    if (step < r->steps) pool_fill(p, r->seed, step);
    if (!resumed) standardise(r, p);
    printf("seed %llu: %lld weights, %lld steps\n", (unsigned long long)r->seed,
           (long long)vdi_params_size(r->params), (long long)r->steps);
    for (; step < r->steps && !stop; step++) {
        const double loss = training_step(r, p, step);
        recent += (loss - recent) * (step < 200 ? 1.0 / (double)(step + 1) : 0.005);
        if ((step + 1) % every) continue;
        printf("step %6lld   loss %.5f   ", (long long)step + 1, recent);
        printf("%.1f s of CPU\n", (double)clock() / CLOCKS_PER_SEC);
        fflush(stdout);
        training_save(r);
    }
    training_save(r);
    for (int64_t i = 0; i < r->average->count; i++)
        need(vdi_tensor_copy(into[i].value, r->average->item[i].value, &err));
    training_destroy(r);
    return step < r->steps ? 130 : 0;
}

/* ---- the weights as C text: numbers small enough to be read by any compiler, in rows -------- */

static const char before_weights[] =
    "\n * Include it after vdi.h, in one file, and hand &vdi_pretrained_shipped to "
    "vdi_pretrained_create.\n"
    " * The numbers come from simulations alone and are as free as the code (MIT). Order and\n"
    " * meaning: vdi_pretrained_declare. */\n"
    "#ifndef VDI_MODEL_PRETRAINED_WEIGHTS_H\n#define VDI_MODEL_PRETRAINED_WEIGHTS_H\n"
    "#ifndef VDI_MODEL_PRETRAINED_PRETRAINED_H /* in vdi.h, or else in the tree */\n"
    "#include \"pretrained.h\"\n#endif\n/* clang-format off */\n";

static void write_scales(vdi_writer *w, const float *scale, int64_t scales) {
    vdi_write_format(w, "static const float vdi_pretrained_shipped_scale[%lld] = {",
                     (long long)scales);
    for (int64_t i = 0; i < scales; i++) {
        char number[VDI_TEXT_NUMBER];
        (void)vdi_text_double(number, (double)scale[i], 9);
        const char *point = strpbrk(number, ".e") ? "" : ".0";
        vdi_write_format(w, "%s%s%sf,", i % 8 ? " " : "\n    ", number, point);
    }
    vdi_write_text(w, "\n};\n");
}

static void write_words(vdi_writer *w, const int8_t *word, int64_t words) {
    vdi_write_format(w, "static const int8_t vdi_pretrained_shipped_word[%lld] = {",
                     (long long)words);
    for (int64_t i = 0; i < words; i++) {
        vdi_write_text(w, i % 32 ? "" : "\n");
        vdi_write_format(w, "%d,", (int)word[i]);
    }
    vdi_write_text(w, "\n};\n");
}

static void write_description(vdi_writer *w, const vdi_pretrained_desc *d, int64_t words) {
    vdi_write_text(w, "/** The shipped network's weights. */\nstatic const "
                      "vdi_pretrained_weights vdi_pretrained_shipped = {\n");
    vdi_write_format(w, "    {%d, %d, %d, %d, {", (int)d->channels, (int)d->stem, (int)d->width,
                     (int)d->layers);
    for (int i = 0; i < VDI_LAYERS_MAX; i++) {
        vdi_write_format(w, i ? ", %d" : "%d", (int)d->dilation[i]);
    }
    vdi_write_format(w, "}, %d, %d, %d},\n", (int)d->context, (int)d->hidden, (int)d->members);
    vdi_write_format(w,
                     "    vdi_pretrained_shipped_scale, vdi_pretrained_shipped_word, %lld};\n"
                     "#endif\n",
                     (long long)words);
}

static void write_header(const char *path, const vdi_pretrained *net, const char *command) {
    vdi_writer w;
    int64_t scales;
    const int64_t words = vdi_pretrained_pack(net, &scales, NULL, NULL);
    float *scale = reserve((size_t)scales, sizeof *scale);
    int8_t *word = reserve((size_t)words, 1);
    (void)vdi_pretrained_pack(net, NULL, scale, word);
    need(vdi_writer_open(&w, path, &err));
    vdi_write_text(&w, "/* model/pretrained/weights.h - the weights of the pretrained network; "
                       "made by scripts/pretrain.c:\n *     ");
    vdi_write_text(&w, command);
    vdi_write_text(&w, before_weights);
    write_scales(&w, scale, scales);
    write_words(&w, word, words);
    write_description(&w, vdi_pretrained_desc_of(net), words);
    need(vdi_writer_close(&w, &err));
    free(word);
    free(scale);
}

/* ---- options -------------------------------------------------------------------------------- */

/* The first member's cells: without bursts, tonic firing and long episodes, in rates that nothing
 * limits; decays and rises that do not know of each other; spikes neither far below nor far above
 * the noise. It counts single spikes, and is not asked for smoothed rates. */
static void plain_member(vdi_population_desc *p) {
    const vdi_population_desc d = {
        .rate = {0.02, 10},
        .fast_sd = {0, 1.5},
        .slow_sd = {0, 2},
        .episode_onset = {0.02, 1},
        .episode_length = {0.01, 0.5},
        .episode_rate = {15, 150},
        .refractory = {0.0042, 0.0083},
        .tau = {0.06, 3},
        .peak_snr = {0.5, 15},
    };
    p->burst_share = p->tonic_share = p->silent_share = p->swift_share = 0;
    p->ceiling.low = p->ceiling.high = 1e6;
    p->rise_most = 1;
    p->rate = d.rate;
    p->fast_sd = d.fast_sd;
    p->slow_sd = d.slow_sd;
    p->episode_onset = d.episode_onset;
    p->episode_length = d.episode_length;
    p->episode_rate = d.episode_rate;
    p->refractory = d.refractory;
    p->tau = d.tau;
    p->peak_snr = d.peak_snr;
}

typedef struct options {
    int64_t steps, size;
    uint64_t seed;
    int members;
    const char *out, *checkpoint;
    vdi_population_desc population;
    vdi_pretrained_desc desc;
    char command[2048]; /* those that decide the weights, for the header */
} options;

/* "rate.low=0.1" into the population. */
static bool set_population(vdi_population_desc *p, const char *text) {
    char name[64];
    const char *equals = strchr(text, '=');
    const size_t length = equals ? (size_t)(equals - text) : 0;
    if (length == 0 || length >= sizeof name) return false;
    memcpy(name, text, length);
    name[length] = 0;
    if (vdi_fields_set(vdi_population_desc_fields(), p, name, equals + 1, &err) >= 0) return true;
    fprintf(stderr, "pretrain: %s\n", err.message);
    return false;
}

static bool set_size(vdi_pretrained_desc *d, const char *text) {
    int channels, width, layers, context, hidden;
    if (sscanf(text, "%d,%d,%d,%d,%d", &channels, &width, &layers, &context, &hidden) != 5)
        return false;
    d->channels = channels;
    d->width = width;
    d->layers = layers;
    d->context = context;
    d->hidden = hidden;
    memset(d->dilation, 0, sizeof d->dilation);
    return true;
}

/* One option and its value; false if there is none such. */
static bool set_option(options *o, const char *name, const char *value) {
    if (!strcmp(name, "--out") || !strcmp(name, "--checkpoint")) {
        *(name[2] == 'o' ? &o->out : &o->checkpoint) = value;
        return true;
    }
    const size_t used = strlen(o->command);
    snprintf(o->command + used, sizeof o->command - used, " %s %s", name, value);
    if (!strcmp(name, "--steps")) {
        o->steps = atoll(value);
        o->size = POOL;
    } else if (!strcmp(name, "--seed")) {
        o->seed = (uint64_t)atoll(value);
    } else if (!strcmp(name, "--members")) {
        o->members = atoi(value);
    } else if (!strcmp(name, "--set")) {
        return set_population(&o->population, value);
    } else if (!strcmp(name, "--size")) {
        return set_size(&o->desc, value);
    } else {
        return false;
    }
    return true;
}

static bool read_options(options *o, int argc, char **argv) {
    o->steps = 20;
    o->size = 64;
    o->seed = 1;
    o->members = 1;
    o->population = vdi_population_desc_defaults();
    o->desc = vdi_pretrained_desc_defaults();
    snprintf(o->command, sizeof o->command, "pretrain");
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (*value && set_option(o, argv[i], value)) continue;
        fprintf(stderr, "pretrain: no option %s %s\n", argv[i], value);
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    static options o;
    static training r;
    pool p = {0};
    if (!read_options(&o, argc, argv)) return 2;
    vdi_pretrained *net = NULL;
    vdi_pretrained_desc all = o.desc;
    all.members = o.members;
    need(vdi_pretrained_create_random(&all, NULL, NULL, &net, &err));
    p.population = o.population;
    pool_create(&p, o.size);
    signal(SIGINT, on_interrupt);
    const int64_t each = vdi_pretrained_declare(&o.desc, NULL, 0);
    int code = 0;
    for (int m = 0; m < o.members && !code; m++) {
        char path[1024];
        const unsigned long long seed = o.seed + (uint64_t)m;
        memset(&r, 0, sizeof r);
        r.desc = &o.desc;
        r.seed = seed;
        r.steps = o.steps;
        r.b.smoothed = m == 0 ? 0 : 0.03;
        p.population = o.population;
        if (m == 0) plain_member(&p.population);
        if (o.checkpoint) {
            snprintf(path, sizeof path, "%s.%llu.safetensors", o.checkpoint, seed);
            r.checkpoint = path;
        }
        code = train(&r, &p, vdi_pretrained_params(net)->item + m * each);
    }
    if (!code && o.out) write_header(o.out, net, o.command);
    pool_destroy(&p);
    vdi_pretrained_destroy(net);
    return code;
}
