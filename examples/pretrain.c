/* examples/pretrain.c - how the pretrained spike network is made, from simulated cells and a seed
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/pretrain.c -o pretrain -lm -pthread
 *     ./pretrain                    a short taste
 *     make pretrain                 the real run, which writes model/pretrained/weights.h
 *
 * This is a recipe, not a lesson, and therefore longer than the other examples: everything that
 * decides the weights stands here, so that anybody can make them again.
 *
 * A pool of simulated traces of 30 s is kept, and a few of them are replaced in every step, so that
 * no trace is seen often. A batch is 48 crops of 384 samples at 60 Hz; each carries the statistics
 * of its whole trace. The loss is the negative log likelihood of the true spike counts under
 * independent Poisson bins, weighted so that busy cells do not drown quiet ones, plus a small
 * squared error of the denoised trace. Adam with a warm-up and a cosine; what is shipped is the
 * moving average of the weights. Networks of several seeds (members) are trained one after the
 * other, and shipped as one network whose results are averaged.
 *
 * Options: --steps N  --seed N  --members M (seeds N ... N+M-1)  --out HEADER
 * --checkpoint PREFIX (of a file for each seed, written now and then and on Ctrl-C; a run whose
 * file is there goes on from it and ends in the same bits)  --set FIELD=LOW[,HIGH] (of the
 * population)  --size CHANNELS,WIDTH,LAYERS,HIDDEN.
 */
#include "vdi.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 48, CROP = 384, EDGE = 48, LENGTH = 1760, POOL = 3072, FRESH = 8, SPIKES = 16384 };
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
    float *stats;        /* (size,STATS) */
    /* scratch for one cell */
    void *work, *prepare;
    size_t prepare_size;
    float *trace, *quiet;
    double *spike, *sum;
} pool;

static void pool_create(pool *p, int64_t size) {
    const double fps = p->population.high_frames.high;
    const int64_t frames = (int64_t)(p->population.seconds * fps) + 1;
    const size_t n = (size_t)size, length = (size_t)frames;
    p->size = size;
    p->prepare_size = vdi_pretrained_prepare_memsize(frames, 60);
    p->prepare_size += vdi_pretrained_prepare_memsize(frames, fps);
    p->x = reserve(n * LENGTH, sizeof *p->x);
    p->clean = reserve(n * LENGTH, sizeof *p->clean);
    p->count = reserve(n * LENGTH, 1);
    p->stats = reserve(n * STATS, sizeof *p->stats);
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
    free(p->stats);
    free(p->count);
    free(p->clean);
    free(p->x);
}

/* Bring the noiseless trace to the scale and grid of the prepared one, into clean (LENGTH). */
static void clean_to_grid(pool *p, const vdi_cell *cell, const vdi_prepared *ready, int64_t known,
                          float *clean) {
    const double scale = ready->scale > 0 ? ready->scale : 1;
    for (int64_t i = 0; i < cell->frames; i++) {
        double above = (double)p->quiet[i] - (double)ready->baseline[i];
        p->quiet[i] = (float)(above / scale);
    }
    vdi_pretrained_to_grid(cell->frames, p->quiet, cell->frame_rate, p->sum, known, clean);
    for (int64_t i = known; i < LENGTH; i++)
        clean[i] = clean[known - 1];
}

/* Count the spikes of each sample of the grid into count (LENGTH). */
static void count_spikes(const double *spike, int64_t spikes, int64_t known, uint8_t *count) {
    memset(count, 0, LENGTH);
    for (int64_t i = 0; i < spikes; i++) {
        const double at = floor(spike[i] * VDI_PRETRAINED_GRID + 0.5);
        if (at < 0 || at >= (double)known) continue;
        if (count[(int)at] < 255) count[(int)at]++;
    }
}

/* Simulate the next cell into its slot. */
static void pool_add(pool *p) {
    const size_t slot = (size_t)(p->cells % p->size);
    float *x = p->x + slot * LENGTH;
    vdi_cell cell;
    vdi_prepared ready;
    if (vdi_population_draw(&p->population, p->seed, (uint64_t)p->cells, &cell) < 0)
        need(vdi_population_desc_check(&p->population, &err));
    int64_t spikes =
        vdi_cell_simulate(&p->population, &cell, p->work, p->trace, p->quiet, p->spike, SPIKES);
    if (spikes > SPIKES) spikes = SPIKES;
    need(vdi_pretrained_prepare(VDI_F32, cell.frames, p->trace, cell.frame_rate, p->prepare,
                                p->prepare_size, &ready, &err));
    const int64_t known = ready.samples < LENGTH ? ready.samples : LENGTH;
    for (int64_t i = 0; i < LENGTH; i++)
        x[i] = ready.x[i < ready.samples ? i : ready.samples - 1];
    clean_to_grid(p, &cell, &ready, known, p->clean + slot * LENGTH);
    count_spikes(p->spike, spikes, known, p->count + slot * LENGTH);
    memcpy(p->stats + slot * STATS, ready.stats, sizeof ready.stats);
    p->cells++;
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
    float stats[BATCH * STATS], weight[BATCH];
} batch;

/* Crops of batch `index`: which ones depends on nothing but the seed and that number. */
static void batch_draw(const pool *p, uint64_t seed, uint64_t index, batch *b) {
    vdi_rng rng = vdi_rng_make(seed ^ 0x62617463u, index);
    for (size_t i = 0; i < BATCH; i++) {
        const size_t slot = (size_t)vdi_rng_below(&rng, (uint64_t)p->size);
        const size_t at = slot * LENGTH + 2 * (size_t)vdi_rng_below(&rng, (LENGTH - CROP) / 2 + 1);
        memcpy(b->x + i * CROP, p->x + at, CROP * sizeof *b->x);
        memcpy(b->clean + i * CROP, p->clean + at, CROP * sizeof *b->clean);
        memcpy(b->stats + i * STATS, p->stats + slot * STATS, STATS * sizeof *b->stats);
        for (size_t k = 0; k < CROP; k++)
            b->count[i * CROP + k] = (float)p->count[at + k];
        double spikes = 0; /* a busy trace counts less, so that it does not drown the quiet ones */
        for (size_t k = 0; k < LENGTH; k++)
            spikes += p->count[slot * LENGTH + k];
        b->weight[i] = 1 / sqrtf(0.3f + (float)(spikes * VDI_PRETRAINED_GRID / LENGTH));
    }
}

/* What counts of a crop (BATCH,CROP): not its ends. */
static vdi_var inner(vdi_tape *t, vdi_var x) {
    return vdi_var_slice(t, x, 1, EDGE, 1, CROP - 2 * EDGE);
}

/* (m - n log m) per bin, and 0.03 times the squared error of the denoised trace. */
static vdi_var loss_of(vdi_tape *t, const vdi_pretrained_desc *d, const vdi_param *params, batch *b,
                       vdi_var *poisson) {
    vdi_var x = vdi_tape_constant(t, vdi_tensor_2d(b->x, VDI_F32, BATCH, CROP));
    vdi_var stats = vdi_tape_constant(t, vdi_tensor_2d(b->stats, VDI_F32, BATCH, STATS));
    vdi_var n = vdi_tape_constant(t, vdi_tensor_2d(b->count, VDI_F32, BATCH, CROP));
    vdi_var target = vdi_tape_constant(t, vdi_tensor_2d(b->clean, VDI_F32, BATCH, CROP));
    vdi_var clean, m = vdi_pretrained_apply(t, d, params, x, stats, &clean);
    vdi_var w = vdi_tape_constant(t, vdi_tensor_2d(b->weight, VDI_F32, BATCH, 1));
    vdi_var log_m = vdi_var_log(t, vdi_var_add_scalar(t, m, 1e-6));
    vdi_var bin = vdi_var_sub(t, m, vdi_var_mul(t, n, log_m));
    vdi_var error = vdi_var_square(t, vdi_var_sub(t, clean, target));
    *poisson = vdi_var_mean(t, inner(t, vdi_var_mul(t, bin, w)));
    return vdi_var_add(t, *poisson, vdi_var_mul_scalar(t, vdi_var_mean(t, inner(t, error)), 0.03));
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
    vdi_write_format(w, "}, %d, %d},\n", (int)d->hidden, (int)d->members);
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
                       "made by examples/pretrain.c:\n *     ");
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

typedef struct options {
    int64_t steps, size;
    uint64_t seed;
    int members;
    const char *out, *checkpoint;
    vdi_population_desc population;
    vdi_pretrained_desc desc;
    char command[2048]; /* those that decide the weights, for the header */
} options;

#define RANGE(field) \
    { #field, offsetof(vdi_population_desc, field), true }
#define SHARE(field) \
    { #field, offsetof(vdi_population_desc, field), false }
static const struct {
    const char *name;
    size_t at;
    bool range; /* low and high, or one number */
} fields[] = {
    /* clang-format off */
    RANGE(rate), RANGE(fast_tau), RANGE(slow_tau), RANGE(fast_sd), RANGE(slow_sd),
    RANGE(episode_onset), RANGE(episode_length), RANGE(episode_rate), RANGE(burst_chance),
    RANGE(burst_interval), RANGE(refractory), RANGE(tau), RANGE(slow_decay), RANGE(slow_times),
    RANGE(jump_cv), RANGE(hill), RANGE(rest), RANGE(saturation), RANGE(quick), RANGE(sluggish),
    RANGE(stage), RANGE(low_frames), RANGE(middle_frames), RANGE(high_frames), RANGE(window),
    RANGE(offset), RANGE(power_snr), RANGE(peak_snr), RANGE(shot), RANGE(latency),
    RANGE(drift_tau[0]), RANGE(drift_tau[1]), RANGE(drift_tau[2]), RANGE(drift_sd[0]),
    RANGE(drift_sd[1]), RANGE(drift_sd[2]), RANGE(bleach_tau), RANGE(bleach),
    SHARE(fast_share), SHARE(slow_share), SHARE(episode_share), SHARE(burst_share),
    SHARE(slow_decay_share), SHARE(linear_share), SHARE(rest_share), SHARE(saturation_share),
    SHARE(quick_share), SHARE(second_share), SHARE(third_share), SHARE(low_share),
    SHARE(middle_share), SHARE(latency_share), SHARE(latency_most), SHARE(power_share),
    SHARE(shot_share), SHARE(drift_share[0]), SHARE(drift_share[1]), SHARE(drift_share[2]),
    SHARE(bleach_share),
    /* clang-format on */
};

/* "rate=0.1,10" into the population. */
static bool set_population(vdi_population_desc *p, const char *text) {
    const char *equals = strchr(text, '=');
    const size_t length = equals ? (size_t)(equals - text) : 0;
    for (size_t i = 0; length && i < sizeof fields / sizeof *fields; i++) {
        if (strlen(fields[i].name) != length || strncmp(fields[i].name, text, length)) continue;
        double *to = (double *)(void *)((char *)p + fields[i].at);
        char *end;
        to[0] = strtod(equals + 1, &end);
        if (fields[i].range) to[1] = *end == ',' ? strtod(end + 1, &end) : to[0];
        return *end == 0;
    }
    return false;
}

static bool set_size(vdi_pretrained_desc *d, const char *text) {
    int channels, width, layers, hidden;
    if (sscanf(text, "%d,%d,%d,%d", &channels, &width, &layers, &hidden) != 4) return false;
    d->channels = channels;
    d->width = width;
    d->layers = layers;
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
