/* How the network in the box is made: trained on simulated cells alone, from a seed.
 *
 *     cc -O2 -I.. pretrain.c -o pretrain -lm -lpthread &&
 *         ./pretrain   (-I: the folder of vdi.h) a short taste
 *     make pretrain   the real run, which writes weights.h
 *
 * A pool of simulated traces of 30 s is kept, and a few of them are replaced in every step, so that
 * no trace is seen often. A batch is 48 crops of 384 samples at 60 Hz; each carries the statistics
 * of its whole trace. The loss is the negative log likelihood of the true spike counts under
 * independent Poisson bins, weighted so that busy cells do not drown quiet ones, plus a small
 * squared error of the denoised trace. Adam with a warm-up and a cosine; what is shipped is the
 * moving average of the weights. Networks of several seeds (members) are trained one after the
 * other, and shipped as one whose results are averaged.
 *
 * Options: --steps N  --seed N  --members M (seeds N ... N+M-1)  --out HEADER  --checkpoint PREFIX
 *                               (of a file for each seed, written now
 * and then and on Ctrl-C; a run whose file is there goes on from it and ends in the same bits)
 * --set FIELD=LOW[,HIGH] (of the
 * population)  --size CHANNELS,WIDTH,LAYERS,HIDDEN.
 */
#define VDI_DEEPSPIKE_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#include "vdi.h"
#include <signal.h>
#include <stdio.h>
#include <time.h>

enum { BATCH = 48, CROP = 384, EDGE = 48, LENGTH = 1760, POOL = 3072, FRESH = 8, SPIKES = 16384 };

/* ---- the pool: the last `size` cells of the stream of cells ---------------------------------- */

typedef struct pool {
    vdi_population_desc population;
    uint64_t seed;
    int64_t size, cells; /* cells made so far; cell i stands in slot i % size */
    float *x, *clean, *stats;
    uint8_t *count;
    /* scratch for one cell */
    void *work, *prepare;
    size_t prepare_size;
    float *trace, *quiet;
    double *spike, *sum;
} pool;

static int pool_create(pool *p, int64_t size) {
    const int64_t frames = (int64_t)(p->population.seconds * p->population.high_frames.high) + 1;
    const size_t n = (size_t)size;
    p->size = size;
    p->prepare_size = vdi_pretrained_prepare_memsize(frames, 60) +
                      vdi_pretrained_prepare_memsize(frames, p->population.high_frames.high);
    p->x = malloc(n * LENGTH * sizeof *p->x);
    p->clean = malloc(n * LENGTH * sizeof *p->clean);
    p->stats = malloc(n * VDI_PRETRAINED_STATS * sizeof *p->stats);
    p->count = malloc(n * LENGTH);
    p->work = malloc(vdi_cell_memsize(&p->population));
    p->prepare = malloc(p->prepare_size);
    p->trace = malloc((size_t)frames * sizeof *p->trace);
    p->quiet = malloc((size_t)frames * sizeof *p->quiet);
    p->spike = malloc(SPIKES * sizeof *p->spike);
    p->sum = malloc(((size_t)frames + 1) * sizeof *p->sum);
    return p->x && p->clean && p->stats && p->count && p->work && p->prepare && p->trace &&
           p->quiet && p->spike && p->sum;
}

static void pool_destroy(pool *p) {
    free(p->x);
    free(p->clean);
    free(p->stats);
    free(p->count);
    free(p->work);
    free(p->prepare);
    free(p->trace);
    free(p->quiet);
    free(p->spike);
    free(p->sum);
}

/* Simulate the next cell into its slot. */
static int pool_add(pool *p, vdi_error *err) {
    const size_t slot = (size_t)(p->cells % p->size);
    float *x = p->x + slot * LENGTH, *clean = p->clean + slot * LENGTH;
    uint8_t *count = p->count + slot * LENGTH;
    vdi_cell cell;
    vdi_prepared ready;
    if (vdi_population_draw(&p->population, p->seed, (uint64_t)p->cells, &cell) < 0)
        return (int)vdi_population_desc_check(&p->population, err);
    int64_t spikes =
        vdi_cell_simulate(&p->population, &cell, p->work, p->trace, p->quiet, p->spike, SPIKES);
    if (spikes > SPIKES) spikes = SPIKES;
    vdi_status status = vdi_pretrained_prepare(VDI_F32, cell.frames, p->trace, cell.frame_rate,
                                               p->prepare, p->prepare_size, &ready, err);
    if (status < 0) return (int)status;
    const double scale = ready.scale > 0 ? ready.scale : 1;
    for (int64_t i = 0; i < cell.frames; i++)
        p->quiet[i] = (float)(((double)p->quiet[i] - (double)ready.baseline[i]) / scale);
    for (int64_t i = 0; i < LENGTH; i++)
        x[i] = i < ready.samples ? ready.x[i] : ready.x[ready.samples - 1];
    const int64_t known = ready.samples < LENGTH ? ready.samples : LENGTH;
    vdi_pretrained_to_grid(cell.frames, p->quiet, cell.frame_rate, p->sum, known, clean);
    for (int64_t i = known; i < LENGTH; i++)
        clean[i] = clean[known - 1];
    memset(count, 0, LENGTH);
    for (int64_t i = 0; i < spikes; i++) {
        const double at = floor(p->spike[i] * VDI_PRETRAINED_GRID + 0.5);
        if (at >= 0 && at < (double)known && count[(int)at] < 255) count[(int)at]++;
    }
    memcpy(p->stats + slot * VDI_PRETRAINED_STATS, ready.stats, sizeof ready.stats);
    p->cells++;
    return 0;
}

/* ---- one step -------------------------------------------------------------------------------- */

typedef struct batch {
    float x[BATCH * CROP], clean[BATCH * CROP], count[BATCH * CROP],
        stats[BATCH * VDI_PRETRAINED_STATS], weight[BATCH];
} batch;

/* Crops of batch `index`: which ones depends on nothing but the seed and that number. */
static void batch_draw(const pool *p, uint64_t seed, uint64_t index, batch *b) {
    vdi_rng rng = vdi_rng_make(seed ^ 0x62617463u, index);
    for (int i = 0; i < BATCH; i++) {
        const size_t slot = (size_t)vdi_rng_below(&rng, (uint64_t)p->size);
        const size_t at = 2 * (size_t)vdi_rng_below(&rng, (LENGTH - CROP) / 2 + 1);
        memcpy(b->x + i * CROP, p->x + slot * LENGTH + at, CROP * sizeof *b->x);
        memcpy(b->clean + i * CROP, p->clean + slot * LENGTH + at, CROP * sizeof *b->clean);
        memcpy(b->stats + i * VDI_PRETRAINED_STATS, p->stats + slot * VDI_PRETRAINED_STATS,
               VDI_PRETRAINED_STATS * sizeof *b->stats);
        double spikes = 0; /* a busy trace counts less, so that it does not drown the quiet ones */
        for (size_t k = 0; k < LENGTH; k++)
            spikes += p->count[slot * LENGTH + k];
        b->weight[i] = 1 / sqrtf(0.3f + (float)(spikes * VDI_PRETRAINED_GRID / LENGTH));
        for (size_t k = 0; k < CROP; k++)
            b->count[(size_t)i * CROP + k] = (float)p->count[slot * LENGTH + at + k];
    }
}

/* The loss on a tape: (m - n log m) per bin away from the ends of a crop, and the squared error of
 * the denoised trace. */
static vdi_var loss_of(vdi_tape *t, const vdi_pretrained_desc *d, const vdi_param *params,
                       const batch *b, vdi_var *poisson) {
    const int64_t all[2] = {BATCH, CROP};
    const int64_t stat[2] = {BATCH, VDI_PRETRAINED_STATS};
    const int64_t one[2] = {BATCH, 1};
    vdi_var clean,
        x = vdi_tape_constant(t, vdi_tensor_view((void *)(uintptr_t)b->x, VDI_F32, 2, all));
    vdi_var stats =
        vdi_tape_constant(t, vdi_tensor_view((void *)(uintptr_t)b->stats, VDI_F32, 2, stat));
    vdi_var n = vdi_tape_constant(t, vdi_tensor_view((void *)(uintptr_t)b->count, VDI_F32, 2, all));
    vdi_var target =
        vdi_tape_constant(t, vdi_tensor_view((void *)(uintptr_t)b->clean, VDI_F32, 2, all));
    vdi_var m = vdi_pretrained_apply(t, d, params, x, stats, &clean);
    vdi_var w =
        vdi_tape_constant(t, vdi_tensor_view((void *)(uintptr_t)b->weight, VDI_F32, 2, one));
    vdi_var bin =
        vdi_var_sub(t, m, vdi_var_mul(t, n, vdi_var_log(t, vdi_var_add_scalar(t, m, 1e-6))));
    vdi_var error = vdi_var_square(t, vdi_var_sub(t, clean, target));
    *poisson =
        vdi_var_mean(t, vdi_var_slice(t, vdi_var_mul(t, bin, w), 1, EDGE, 1, CROP - 2 * EDGE));
    return vdi_var_add(
        t, *poisson,
        vdi_var_mul_scalar(t, vdi_var_mean(t, vdi_var_slice(t, error, 1, EDGE, 1, CROP - 2 * EDGE)),
                           0.03));
}

/* ---- the run --------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop;
static void on_interrupt(int signal_number) {
    (void)signal_number;
    stop = 1;
}

static int failed(const vdi_error *err) {
    fprintf(stderr, "pretrain: %s: %s\n", err->where, err->message);
    return 1;
}

/* "rate=0.1,10" into the population. */
static int population_set(vdi_population_desc *p, const char *text) {
#define SPAN(field) \
    { #field, offsetof(vdi_population_desc, field), 1 }
#define SHARE(field) \
    { #field, offsetof(vdi_population_desc, field), 0 }
    static const struct {
        const char *name;
        size_t at;
        int span;
    } fields[] = {SPAN(rate),
                  SPAN(fast_tau),
                  SPAN(slow_tau),
                  SPAN(fast_sd),
                  SPAN(slow_sd),
                  SPAN(episode_onset),
                  SPAN(episode_length),
                  SPAN(episode_rate),
                  SPAN(burst_chance),
                  SPAN(burst_interval),
                  SPAN(refractory),
                  SPAN(tau),
                  SPAN(slow_decay),
                  SPAN(slow_times),
                  SPAN(jump_cv),
                  SPAN(hill),
                  SPAN(rest),
                  SPAN(saturation),
                  SPAN(quick),
                  SPAN(sluggish),
                  SPAN(stage),
                  SPAN(low_frames),
                  SPAN(middle_frames),
                  SPAN(high_frames),
                  SPAN(window),
                  SPAN(offset),
                  SPAN(power_snr),
                  SPAN(peak_snr),
                  SPAN(shot),
                  SPAN(drift_tau[0]),
                  SPAN(drift_tau[1]),
                  SPAN(drift_tau[2]),
                  SPAN(drift_sd[0]),
                  SPAN(drift_sd[1]),
                  SPAN(drift_sd[2]),
                  SPAN(bleach_tau),
                  SPAN(bleach),
                  SHARE(fast_share),
                  SHARE(slow_share),
                  SHARE(episode_share),
                  SHARE(burst_share),
                  SHARE(slow_decay_share),
                  SHARE(linear_share),
                  SHARE(rest_share),
                  SHARE(saturation_share),
                  SHARE(quick_share),
                  SHARE(second_share),
                  SHARE(third_share),
                  SHARE(low_share),
                  SHARE(middle_share),
                  SHARE(latency_share),
                  SPAN(latency),
                  SHARE(latency_most),
                  SHARE(power_share),
                  SHARE(shot_share),
                  SHARE(drift_share[0]),
                  SHARE(drift_share[1]),
                  SHARE(drift_share[2]),
                  SHARE(bleach_share)};
    const char *equals = strchr(text, '=');
    for (size_t i = 0; equals && i < sizeof fields / sizeof *fields; i++) {
        if (strlen(fields[i].name) != (size_t)(equals - text) ||
            strncmp(fields[i].name, text, (size_t)(equals - text)) != 0)
            continue;
        double *to = (double *)(void *)((char *)p + fields[i].at);
        char *end;
        to[0] = strtod(equals + 1, &end);
        if (fields[i].span) to[1] = *end == ',' ? strtod(end + 1, &end) : to[0];
        return *end == 0;
    }
    return 0;
}

/* The weights as C text: numbers small enough to be read by any compiler, in rows. */
static int header_write(const char *path, const vdi_pretrained *net, const char *command,
                        vdi_error *err) {
    vdi_writer w;
    const vdi_pretrained_desc *d = vdi_pretrained_desc_of(net);
    int64_t scales;
    const int64_t count = vdi_pretrained_pack(net, &scales, NULL, NULL);
    float *scale = malloc((size_t)scales * sizeof *scale);
    int8_t *word = malloc((size_t)count);
    if (!scale || !word || vdi_writer_open(&w, path, err) < 0) {
        free(scale);
        free(word);
        return 0;
    }
    (void)vdi_pretrained_pack(net, NULL, scale, word);
    vdi_write_text(&w, "/* model/pretrained/weights.h - the weights of the network in the box; "
                       "generated by examples/pretrain.c:\n *     ");
    vdi_write_text(&w, command);
    vdi_write_text(
        &w,
        "\n * Include it after vdi.h, in one file, and hand &vdi_pretrained_shipped to "
        "vdi_pretrained_create. The numbers "
        "come from simulations\n"
        " * alone and are as free as the code (MIT). Order and meaning: vdi_pretrained_declare. "
        "*/\n"
        "#ifndef VDI_MODEL_DEEPSPIKE_WEIGHTS_H\n#define VDI_MODEL_DEEPSPIKE_WEIGHTS_H\n"
        "#ifndef VDI_MODEL_DEEPSPIKE_PRETRAINED_H /* in vdi.h, or else in the tree */\n#include "
        "\"deepspike_pretrained.h\"\n#endif\n/* clang-format off */\n");
    vdi_write_format(&w, "static const float vdi_pretrained_shipped_scale[%lld] = {",
                     (long long)scales);
    for (int64_t i = 0; i < scales; i++) {
        char number[VDI_TEXT_NUMBER];
        (void)vdi_text_double(number, (double)scale[i], 9);
        vdi_write_format(&w, "%s%s%sf,", i % 8 ? " " : "\n    ", number,
                         strpbrk(number, ".e") ? "" : ".0");
    }
    vdi_write_format(&w, "\n};\nstatic const int8_t vdi_pretrained_shipped_word[%lld] = {",
                     (long long)count);
    for (int64_t i = 0; i < count; i++) {
        vdi_write_text(&w, i % 32 ? "" : "\n");
        vdi_write_format(&w, "%d,", (int)word[i]);
    }
    vdi_write_text(&w, "\n};\n/** The shipped network's weights. */\nstatic const "
                       "vdi_pretrained_weights vdi_pretrained_shipped = {\n");
    vdi_write_format(&w, "    {%d, %d, %d, %d, {", (int)d->channels, (int)d->stem, (int)d->width,
                     (int)d->layers);
    for (int i = 0; i < VDI_LAYERS_MAX; i++)
        vdi_write_format(&w, i ? ", %d" : "%d", (int)d->dilation[i]);
    vdi_write_format(&w,
                     "}, %d, %d},\n    vdi_pretrained_shipped_scale, vdi_pretrained_shipped_word, "
                     "%lld};\n#endif\n",
                     (int)d->hidden, (int)d->members, (long long)count);
    free(scale), free(word);
    return vdi_writer_close(&w, err) == VDI_OK;
}

/* Everything that a run goes on from, as one list of tensors: weights, their average under "average.", the optimiser's memory. */
static vdi_state *run_state(vdi_params *params, vdi_params *average, vdi_optim *optim,
                            char (*name)[VDI_PARAM_NAME + 16]) {
    static vdi_named_tensor list[4 * VDI_PRETRAINED_PARAMS + 1];
    static vdi_state state;
    int64_t n = 0;
    for (int64_t i = 0; i < params->count; i++)
        list[n].name = params->item[i].name, list[n++].tensor = params->item[i].value;
    for (int64_t i = 0; i < params->count; i++) {
        snprintf(name[i], sizeof name[i], "average.%s", params->item[i].name);
        list[n].name = name[i], list[n++].tensor = average->item[i].value;
    }
    const vdi_state *memory = vdi_optim_state(optim);
    for (int64_t i = 0; i < memory->tensor_count; i++)
        list[n++] = memory->tensors[i];
    state.tensors = list, state.tensor_count = n;
    return &state;
}

/* Train the network of one seed, or go on with it, and put the average of its weights into `into`. 0, 130 if interrupted, or 1. */
static int train(pool *p, const vdi_pretrained_desc *desc, int64_t steps, uint64_t seed,
                 const char *checkpoint, vdi_param *into) {
    static batch b;
    static char average_name[VDI_PRETRAINED_PARAMS][VDI_PARAM_NAME + 16], file_name[1024];
    vdi_error err = VDI__ZERO;
    vdi_rng rng = vdi_rng_make(seed, UINT64_MAX);
    vdi_pretrained *net = NULL, *mean = NULL;
    if (vdi_pretrained_create_random(desc, NULL, &rng, &net, &err) < 0 ||
        vdi_pretrained_create_random(desc, NULL, NULL, &mean, &err) < 0)
        return failed(&err);
    vdi_params *params = vdi_pretrained_params(net), *average = vdi_pretrained_params(mean);
    vdi_optim_desc rule = vdi_optim_desc_defaults();
    rule.rate = 2e-3, rule.beta2 = 0.99, rule.clip_norm = 1;
    rule.schedule.kind = VDI_SCHEDULE_COSINE, rule.schedule.warmup = 100,
    rule.schedule.steps = steps > 100 ? steps * 4 / 3 - 100 : 1;
    vdi_optim *optim = NULL;
    vdi_tape *tape = NULL;
    if (vdi_optim_create(&rule, params, NULL, &optim, &err) < 0 ||
        vdi_tape_create(NULL, &tape, &err) < 0)
        return failed(&err);
    vdi_state *state = run_state(params, average, optim, average_name);
    snprintf(file_name, sizeof file_name, "%s.%llu.safetensors", checkpoint ? checkpoint : "",
             (unsigned long long)seed);
    FILE *there = checkpoint ? fopen(file_name, "rb") : NULL;
    if (there) {
        vdi_safetensors file;
        fclose(there);
        if (vdi_safetensors_load(file_name, NULL, &file, &err) < 0 ||
            vdi_safetensors_copy_to(&file, state, &err) < 0)
            return failed(&err);
        vdi_safetensors_free(&file);
    }
    int64_t step = vdi_optim_steps(optim);

    /* the pool as it is at this step: its last cells, whichever they are */
    p->seed = seed;
    p->cells = step > 0 ? (step - 1) * FRESH : 0;
    for (int64_t i = 0; i < p->size && step < steps; i++)
        if (pool_add(p, &err) < 0) return failed(&err);
    if (!there) { /* what statistics are usual, from the first pool */
        for (int k = 0; k < VDI_PRETRAINED_STATS; k++) {
            double sum = 0, square = 0;
            for (int64_t i = 0; i < p->size; i++)
                sum += (double)p->stats[i * VDI_PRETRAINED_STATS + k];
            sum /= (double)p->size;
            for (int64_t i = 0; i < p->size; i++)
                square += pow((double)p->stats[i * VDI_PRETRAINED_STATS + k] - sum, 2);
            ((float *)params->item[0].value.data)[k] = (float)sum;
            ((float *)params->item[1].value.data)[k] =
                (float)(sqrt(square / (double)p->size) + 1e-3);
        }
        if (vdi_params_mix(average, params, 1, &err) < 0) return failed(&err);
    }

    double recent = 0;
    printf("seed %llu: %lld weights, %lld steps\n", (unsigned long long)seed,
           (long long)vdi_params_size(params), (long long)steps);
    for (; step < steps && !stop; step++) {
        vdi_var poisson;
        for (int i = 0; i < FRESH && step > 0; i++)
            if (pool_add(p, &err) < 0) return failed(&err);
        batch_draw(p, seed, (uint64_t)step, &b);
        vdi_tape_reset(tape);
        vdi_params_zero_grad(params);
        if (vdi_tape_backward(tape, loss_of(tape, desc, params->item, &b, &poisson)) < 0) {
            (void)vdi_tape_status(tape, &err);
            return failed(&err);
        }
        const double loss = vdi_tape_item(tape, poisson),
                     far = step < 1000 ? 1.0 / (double)(step / 4 + 1) : 0.004;
        if (vdi_optim_step(optim, &err) < 0 || vdi_params_mix(average, params, far, &err) < 0)
            return failed(&err);
        recent += (loss - recent) * (step < 200 ? 1.0 / (double)(step + 1) : 0.005);
        const int64_t every = steps > 1000 ? 250 : steps > 5 ? steps / 5 : 1;
        if ((step + 1) % every == 0) {
            printf("step %6lld   loss %.5f   %.1f s of CPU\n", (long long)step + 1, recent,
                   (double)clock() / CLOCKS_PER_SEC);
            fflush(stdout);
            if (checkpoint && vdi_safetensors_save(file_name, state, &err) < 0) return failed(&err);
        }
    }
    if (checkpoint && vdi_safetensors_save(file_name, state, &err) < 0) return failed(&err);
    for (int64_t i = 0; i < average->count; i++)
        if (vdi_tensor_copy(into[i].value, average->item[i].value, &err) < 0) return failed(&err);
    vdi_tape_destroy(tape), vdi_optim_destroy(optim), vdi_pretrained_destroy(net),
        vdi_pretrained_destroy(mean);
    return step < steps ? 130 : 0;
}

int main(int argc, char **argv) {
    static char command[2048] = "pretrain";
    vdi_error err = VDI__ZERO;
    pool p = VDI__ZERO;
    vdi_pretrained_desc desc = vdi_pretrained_desc_defaults(), all;
    const char *out = NULL, *checkpoint = NULL;
    int64_t steps = 20, size = 64;
    uint64_t seed = 1;
    int members = 1, code = 0;
    p.population = vdi_population_desc_defaults();
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        int known = 1, measure[4];
        if (!strcmp(argv[i], "--steps"))
            steps = atoll(value), size = POOL;
        else if (!strcmp(argv[i], "--seed"))
            seed = (uint64_t)atoll(value);
        else if (!strcmp(argv[i], "--members"))
            members = atoi(value);
        else if (!strcmp(argv[i], "--out"))
            out = value;
        else if (!strcmp(argv[i], "--checkpoint"))
            checkpoint = value;
        else if (!strcmp(argv[i], "--set"))
            known = population_set(&p.population, value);
        else if (!strcmp(argv[i], "--size") && sscanf(value, "%d,%d,%d,%d", measure, measure + 1,
                                                      measure + 2, measure + 3) == 4) {
            desc.channels = measure[0], desc.width = measure[1], desc.layers = measure[2],
            desc.hidden = measure[3];
            for (int k = 0; k < VDI_LAYERS_MAX; k++)
                desc.dilation[k] = 0;
        } else
            known = 0;
        if (!known || i + 1 >= argc)
            return fprintf(stderr, "pretrain: no option %s %s\n", argv[i], value), 2;
        if (strcmp(argv[i], "--out") && strcmp(argv[i], "--checkpoint")) {
            const size_t used = strlen(command);
            snprintf(command + used, sizeof command - used, " %s %s", argv[i], value);
        }
    }
    vdi_pretrained *net = NULL;
    all = desc, all.members = members;
    if (vdi_pretrained_create_random(&all, NULL, NULL, &net, &err) < 0) return failed(&err);
    if (!pool_create(&p, size))
        return fprintf(stderr, "pretrain: no memory for %lld traces\n", (long long)size), 1;
    signal(SIGINT, on_interrupt);
    const int64_t each = vdi_pretrained_declare(&desc, NULL, 0);
    for (int m = 0; m < vdi_pretrained_desc_of(net)->members && !code; m++)
        code = train(&p, &desc, steps, seed + (uint64_t)m, checkpoint,
                     vdi_pretrained_params(net)->item + m * each);
    if (!code && out && !header_write(out, net, command, &err)) return failed(&err);
    pool_destroy(&p);
    vdi_pretrained_destroy(net);
    return code;
}
