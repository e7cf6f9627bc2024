/* examples/vdi/sacd.c - vdi sacd train | eval | envs: an agent whose value is split by reward
 * component
 *
 * A run is a function of its options alone: episode k of training is episode k of --seed,
 * evaluation plays those of seed + 1,000,000. It is saved where an episode has ended, so that any
 * simulator can go on from there.
 */
#include <time.h>

#include "sacd.h"

enum {
    EVALUATION_SEED = 1000000,
    INFLUENCE_EVERY = 16,
    COLUMNS = 3 * (VDI_ENV_MAX_COMPONENTS + 1) + 16 /* of a log: reward, influence, loss of each */
};

/* ---- what is learned where: used for options that are not given ------------------------------ */

typedef struct train_options {
    env_options env;
    vdi_sacd_desc agent; /* as given; once the environment is known, as the recipe has it */
    int64_t steps, eval_every, eval_episodes;
    const char *weights, *resume;
    double alpha;
    bool has_alpha;
} train_options;

/* Zero where the library's default is good. */
typedef struct recipe {
    const char *env;
    int64_t hidden, batch, start;
    double rate, last_rate, tau, gamma, target_entropy;
    bool has_target_entropy;
} recipe;
static const recipe recipes[] = {
    {.env = "pendulum", .hidden = 64, .batch = 100, .rate = 0.001, .start = 100},
    {.env = "lunar-lander",
     .batch = 128,
     .rate = 0.0007,
     .last_rate = 0.00005,
     .tau = 0.01,
     .start = 5000,
     .has_target_entropy = true},
    {.env = "lander",
     .batch = 128,
     .rate = 0.0007,
     .last_rate = 0.00005,
     .tau = 0.01,
     .start = 5000,
     .has_target_entropy = true},
    {.env = "bipedal-walker", .rate = 0.0007, .tau = 0.02, .gamma = 0.98, .start = 10000},
};

static void real_default(double *value, double is) {
    if (*value == 0) *value = is;
}

/* What is learned where: for options that are not given; the rest is the library's. */
static void recipe_apply(const vdi_env *env, vdi_sacd_desc *d) {
    for (int i = 0; i < (int)VDI__COUNT(recipes); i++) {
        const recipe *c = &recipes[i];
        if (strcmp(c->env, env->name) != 0) continue;
        if (d->layers == 0 && c->hidden) {
            d->layers = 2;
            d->hidden[0] = d->hidden[1] = c->hidden;
        }
        if (d->batch == 0) d->batch = c->batch;
        if (d->start == 0) d->start = c->start;
        if (d->rate == 0) real_default(&d->last_rate, c->last_rate);
        real_default(&d->rate, c->rate);
        real_default(&d->tau, c->tau);
        real_default(&d->gamma, c->gamma);
        if (!d->has_target_entropy && c->has_target_entropy) {
            d->has_target_entropy = true;
            d->target_entropy = c->target_entropy;
        }
    }
    vdi_fields_fill(vdi_sacd_desc_fields(), d);
}

/* ---- an agent and its files ------------------------------------------------------------------ */

bool agent_is_file(const char *from) {
    static const char end[] = ".safetensors";
    const size_t n = strlen(from), e = sizeof end - 1;
    return n > e && strcmp(from + n - e, end) == 0;
}

bool agent_load(const char *from, vdi_pool *pool, agent_file *out) {
    vdi_error err = {0};
    vdi_sacd_desc desc;
    char *path = agent_is_file(from) ? strdup(from) : path_join(from, "agent.safetensors");
    if (!path) {
        fail("out of memory");
        return false;
    }
    memset(out, 0, sizeof *out);
    bool ok = vdi_safetensors_load(path, NULL, &out->file, &err) == VDI_OK &&
              vdi_sacd_desc_from_meta(out->file.state.meta, out->file.state.meta_count, &desc,
                                      &err) == VDI_OK;
    if (ok) {
        desc.capacity = 1; /* it will only act */
        desc.pool = pool;
        ok = vdi_sacd_create(&desc, &out->agent, &err) == VDI_OK &&
             vdi_safetensors_copy_to(&out->file, vdi_sacd_state(out->agent, false), &err) == VDI_OK;
        out->env = vdi_safetensors_meta(&out->file, "env");
        if (out->env && !*out->env) out->env = NULL;
    }
    if (!ok) {
        (void)fail_error(&err, path);
        agent_free(out);
    }
    free(path);
    return ok;
}

void agent_free(agent_file *a) {
    vdi_sacd_destroy(a->agent);
    vdi_safetensors_free(&a->file);
    memset(a, 0, sizeof *a);
}

/* The --env-cmd in the run.json beside an agent, malloc'ed; NULL: there is none. */
static char *command_beside(const char *from, char **file) {
    vdi_arena arena;
    vdi_error err;
    const vdi_json *root;
    char *line = NULL;
    const char *slash = strrchr(from, '/');
    char *folder = strdup(!agent_is_file(from) ? from : slash ? from : ".");
    if (!folder) exit(fail("out of memory"));
    if (agent_is_file(from) && slash) folder[slash - from + 1] = 0;
    *file = path_join(folder, "run.json");
    vdi_arena_init(&arena, NULL, 0);
    if (vdi_json_load(*file, &arena, &root, &err) >= 0) {
        const vdi_json *options = vdi_json_get(root, "options");
        const char *text = vdi_json_as_text(vdi_json_get(options, "env-cmd"), NULL);
        if (text && *text && !(line = strdup(text))) exit(fail("out of memory"));
    }
    vdi_arena_free(&arena);
    free(folder);
    return line;
}

bool agent_env_open(const run *r, const env_options *o, const char *from, const agent_file *a,
                    vdi_env *env) {
    char *file = NULL, *line = NULL;
    if (o->name || o->command) return env_open(r, o, env);
    if (!a->env) line = command_beside(from, &file);
    if (line && !env_command_trusted(line, file, o->trust)) exit(USAGE);
    const bool ok = env_open_as(a->env, line, o->timeout, env);
    free(line);
    free(file);
    return ok;
}

/* ---- train ----------------------------------------------------------------------------------- */

/* A table of numbers that grows: one row for each episode, or for each evaluation. */
typedef struct sheet {
    double *data;
    int64_t rows, cols, room;
    const char *name[COLUMNS];
    char text[COLUMNS][48];
} sheet;

static void sheet_name(sheet *t, const char *format, const char *what) {
    snprintf(t->text[t->cols], sizeof t->text[0], format, what);
    t->name[t->cols] = t->text[t->cols];
    t->cols++;
}
static double *sheet_row(sheet *t) {
    if (t->rows == t->room) {
        t->room = t->room ? 2 * t->room : 256;
        double *more = (double *)realloc(t->data, (size_t)(t->room * t->cols) * sizeof *more);
        if (!more) exit(fail("out of memory for %lld rows of the log", (long long)t->room));
        t->data = more;
    }
    return t->data + t->rows++ * t->cols;
}
static vdi_tensor sheet_tensor(const sheet *t) {
    return vdi_tensor_2d(t->data, VDI_F64, t->rows, t->cols);
}
static bool sheet_save(const run *r, const char *name, const sheet *t) {
    vdi_named_tensor column[COLUMNS];
    for (int64_t i = 0; i < t->cols; i++) {
        column[i].name = t->name[i];
        column[i].tensor = vdi_tensor_index(sheet_tensor(t), 1, i);
    }
    return save_csv(r, name, column, t->cols);
}

static bool sheet_take(const vdi_safetensors *file, const char *name, sheet *t, vdi_error *err) {
    vdi_tensor from = vdi_safetensors_find(file, name);
    if (from.ndim != 2 || from.dtype != VDI_F64 || from.shape[1] != t->cols) {
        vdi_error_set(err, VDI_ERR_FORMAT, "resume", "expected \"%s\" with %lld columns", name,
                      (long long)t->cols);
        return false;
    }
    for (int64_t i = 0; i < from.shape[0]; i++) {
        memcpy(sheet_row(t), (const double *)from.data + i * t->cols,
               (size_t)t->cols * sizeof(double));
    }
    return true;
}

typedef struct training {
    run *r;
    const train_options *want;
    vdi_env env, judge; /* of training, and of evaluations between */
    vdi_sacd *agent;
    int64_t heads;
    const char *head[VDI_ENV_MAX_COMPONENTS + 1];
    vdi_sacd_episode *episode;
    vdi_sacd_stats stats;
    float *before;                                /* an observation */
    double influence[VDI_ENV_MAX_COMPONENTS + 1]; /* relative, summed over states of this episode */
    double mean_loss[VDI_ENV_MAX_COMPONENTS + 1]; /* likewise over updates */
    int64_t states, updates;
    sheet log, evals;
    double saved, save_seconds;
} training;

/* What acts, without what learns. */
static bool agent_save(const training *t, const char *name) {
    const char *env = t->want->env.name;
    vdi_state *s = state_copy(vdi_sacd_state(t->agent, false), 0, 2);
    state_note(s, "model", "sacd");
    state_note(s, "env", env ? env : "");
    return state_save(t->r, name, s);
}

static void training_forget(training *t) {
    memset(t->influence, 0, sizeof t->influence);
    memset(t->mean_loss, 0, sizeof t->mean_loss);
    t->states = t->updates = 0;
}

/* What the row of an episode is made of, while the episode is under way: saved and taken back. */
enum { RUNNING = 5 + 2 * VDI_CRITIC_HEADS };

static int64_t training_running(training *t, double *number, bool take) {
    double *place[5] = {&t->stats.entropy, &t->stats.value, &t->stats.policy_loss, NULL, NULL};
    double counts[2] = {(double)t->states, (double)t->updates};
    place[3] = &counts[0];
    place[4] = &counts[1];
    for (int64_t i = 0; i < 5 + 2 * t->heads; i++) {
        const int64_t k = i - 5;
        double *at = k < 0          ? place[i]
                     : k < t->heads ? &t->influence[k]
                                    : &t->mean_loss[k - t->heads];
        if (take)
            *at = number[i];
        else
            number[i] = *at;
    }
    if (take) {
        t->states = (int64_t)counts[0];
        t->updates = (int64_t)counts[1];
    }
    return 5 + 2 * t->heads;
}

static bool training_save(training *t) {
    int64_t episode[2] = {t->episode->index, t->episode->steps};
    double running[RUNNING];
    double begin = seconds_now();
    vdi_state *s = state_copy(vdi_sacd_state(t->agent, true), 4, 0);
    state_add(s, "log", sheet_tensor(&t->log));
    state_add(s, "evals", sheet_tensor(&t->evals));
    state_add(s, "episode", vdi_tensor_1d(episode, VDI_I64, 2));
    state_add(s, "running", vdi_tensor_1d(running, VDI_F64, training_running(t, running, false)));
    bool ok = state_save(t->r, "checkpoint.safetensors", s);
    ok = ok && agent_save(t, "agent.safetensors") && sheet_save(t->r, "log.csv", &t->log);
    if (t->evals.rows) ok = ok && sheet_save(t->r, "eval.csv", &t->evals);
    t->saved = seconds_now();
    t->save_seconds = t->saved - begin;
    return ok;
}

/* The episode of a checkpoint: its number and steps, and the row under way. */
static bool training_take_episode(training *t, const vdi_safetensors *file, vdi_error *err) {
    vdi_tensor episode = vdi_safetensors_find(file, "episode");
    vdi_tensor running = vdi_safetensors_find(file, "running");
    bool exact;
    if (episode.ndim != 1 || episode.shape[0] != 2 || episode.dtype != VDI_I64 ||
        running.ndim != 1 || running.shape[0] != 5 + 2 * t->heads || running.dtype != VDI_F64) {
        (void)vdi_error_set(err, VDI_ERR_FORMAT, "resume", "expected an episode, and its numbers");
        return false;
    }
    t->episode->index = ((const int64_t *)episode.data)[0];
    t->episode->steps = ((const int64_t *)episode.data)[1];
    (void)training_running(t, (double *)running.data, true);
    if (vdi_sacd_catch_up(t->agent, &t->env, t->episode, &exact, err) < 0) return false;
    if (exact) return true;
    fputs("vdi: the simulator does not repeat an episode, so the run goes on with the next one\n",
          stderr);
    training_forget(t);
    return true;
}

static bool training_resume(training *t, const char *folder) {
    vdi_error err = {0};
    vdi_safetensors file;
    char *path = path_join(folder, "checkpoint.safetensors");
    bool ok = true;
    if (file_exists(path)) { /* else it was stopped before the first: from the beginning */
        ok = vdi_safetensors_load(path, NULL, &file, &err) == VDI_OK;
        if (ok) {
            ok = vdi_sacd_restore(t->agent, &file.state, &err) == VDI_OK &&
                 sheet_take(&file, "log", &t->log, &err) &&
                 sheet_take(&file, "evals", &t->evals, &err) &&
                 training_take_episode(t, &file, &err);
            vdi_safetensors_free(&file);
        }
    }
    if (!ok) (void)fail_error(&err, path);
    free(path);
    return ok;
}

static void training_tables(training *t) {
    const int64_t m = t->env.components;
    sheet *l = &t->log;
    static const char *const first[] = {"episode", "step", "length", "terminated", "return"};
    static const char *const last[] = {"alpha", "entropy", "value", "policy_loss"};
    t->heads = vdi_critic_get_desc(vdi_sacd_critic(t->agent))->heads;
    for (int64_t i = 0; i < t->heads; i++)
        t->head[i] = t->heads == 1 ? "value" : i < m ? t->env.component[i] : "entropy";
    for (int i = 0; i < 5; i++)
        sheet_name(l, "%s", first[i]);
    for (int64_t i = 0; i < m; i++)
        sheet_name(l, "r_%s", t->env.component[i]);
    for (int64_t i = 0; i < t->heads; i++)
        sheet_name(l, "influence_%s", t->head[i]);
    for (int64_t i = 0; i < t->heads; i++)
        sheet_name(l, "loss_%s", t->head[i]);
    for (int i = 0; i < 4; i++)
        sheet_name(l, "%s", last[i]);
    sheet_name(&t->evals, "%s", "step");
    sheet_name(&t->evals, "%s", "return_mean");
    sheet_name(&t->evals, "%s", "return_std");
    for (int64_t i = 0; i < m; i++)
        sheet_name(&t->evals, "r_%s", t->env.component[i]);
}

/* The row of an episode that has ended. */
static void training_log(training *t) {
    const vdi_sacd_episode *e = t->episode;
    double *row = sheet_row(&t->log), sum = 0;
    const int64_t m = t->env.components;
    for (int64_t i = 0; i < m; i++)
        sum += e->sum[i];
    *row++ = (double)e->index;
    *row++ = (double)vdi_sacd_steps(t->agent);
    *row++ = (double)e->steps;
    *row++ = (e->end & VDI_ENV_TERMINATED) != 0;
    *row++ = sum;
    for (int64_t i = 0; i < m; i++)
        *row++ = e->sum[i];
    for (int64_t i = 0; i < t->heads; i++)
        *row++ = t->states ? t->influence[i] / (double)t->states : NAN;
    for (int64_t i = 0; i < t->heads; i++)
        *row++ = t->updates ? t->mean_loss[i] / (double)t->updates : NAN;
    *row++ = vdi_sacd_alpha(t->agent);
    *row++ = t->updates ? t->stats.entropy : NAN;
    *row++ = t->updates ? t->stats.value : NAN;
    *row++ = t->updates ? t->stats.policy_loss : NAN;
    training_forget(t);
}

/* Mean, standard deviation and components of the deterministic policy. */
static bool judge(vdi_sacd *agent, vdi_env *env, uint64_t seed, int64_t episodes, double *mean,
                  double *sd, double *components, double *steps, run *r) {
    vdi_error err = {0};
    double sum = 0, squares = 0, total = 0, sums[VDI_ENV_MAX_COMPONENTS];
    for (int64_t i = 0; i < env->components; i++)
        components[i] = 0;
    for (int64_t k = 0; k < episodes; k++) {
        double value = 0;
        int64_t length;
        if (vdi_sacd_play(agent, env, seed + EVALUATION_SEED, (uint64_t)k, sums, &length, &err) <
            0) {
            fail_error(&err, NULL);
            return false;
        }
        for (int64_t i = 0; i < env->components; i++) {
            value += sums[i];
            components[i] += sums[i] / (double)episodes;
        }
        /* Welford */
        double from_mean = value - sum;
        sum += from_mean / (double)(k + 1);
        squares += from_mean * (value - sum);
        total += (double)length;
        if (r) progress(r, k + 1, episodes, "mean return", sum);
        if (r && interrupted()) return false;
    }
    if (r) progress_end(r);
    *mean = sum;
    *sd = sqrt(squares / (double)episodes);
    *steps = total;
    return true;
}

/* An evaluation: a row of eval.csv, and best.safetensors if none before was better. A run that was
   stopped repeats what came after its checkpoint, so the file is in the end what it would have
   been. */
static bool training_judge(training *t) {
    double row[3 + VDI_ENV_MAX_COMPONENTS], steps;
    bool best = true;
    if (!judge(t->agent, &t->judge, t->r->seed, t->want->eval_episodes, &row[1], &row[2], row + 3,
               &steps, NULL))
        return false;
    row[0] = (double)vdi_sacd_steps(t->agent);
    for (int64_t i = 0; i < t->evals.rows; i++)
        best = best && row[1] > t->evals.data[i * t->evals.cols + 1];
    memcpy(sheet_row(&t->evals), row, (size_t)t->evals.cols * sizeof *row);
    return !best || agent_save(t, "best.safetensors");
}

/* Mean of column `col` over the last `window` episodes, for each episode. */
static double *smooth(const sheet *t, int64_t col, int64_t window) {
    double *out = doubles(t->rows ? t->rows : 1), sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < t->rows; i++) {
        double in = t->data[i * t->cols + col];
        double gone = i >= window ? t->data[(i - window) * t->cols + col] : NAN;
        if (in == in) {
            sum += in;
            count++;
        }
        if (gone == gone) {
            sum -= gone;
            count--;
        }
        out[i] = count ? sum / (double)count : NAN;
    }
    return out;
}

static bool training_draw(const training *t) {
    const sheet *l = &t->log;
    const int64_t m = t->env.components, window = 20;
    double *line[2 * VDI_ENV_MAX_COMPONENTS + 2] = {NULL};
    int lines = 0;
    vdi_error err = {0};
    vdi_figure f;
    vdi_figure_desc desc = {0};
    desc.rows = 3;
    desc.cols = 1;
    vdi_figure_init(&f, &desc);
    desc.title = vdi_figure_text(&f, "%s on %s, seed %lld", vdi_sacd_algo_name(t->want->agent.algo),
                                 t->env.name, (long long)t->r->seed);
    f.desc.title = desc.title;
    vdi_tensor x = vdi_tensor_index(sheet_tensor(l), 1, 1);
    for (int row = 0; row < 3; row++) {
        vdi_panel *p = vdi_figure_panel(&f, row, 0);
        const int64_t first = row == 0 ? 4 : row == 1 ? 5 : 5 + m;
        const int64_t count = row == 0 ? 1 : row == 1 ? m : t->heads;
        p->y.label = row == 0   ? "return"
                     : row == 1 ? "components of the return"
                                : "relative influence";
        p->x.has_limits = vdi_sacd_steps(t->agent) > 0;
        p->x.high = (double)vdi_sacd_steps(t->agent); /* one axis for all three */
        if (row == 2)
            p->x.label = "steps of the environment";
        else
            p->x.bare = true;
        if (row == 0) {
            vdi_series *s =
                vdi_panel_scatter(p, "episodes", x, vdi_tensor_index(sheet_tensor(l), 1, 4));
            s->color = VDI_COLOR_GREY;
            s->width = 2.5;
            if (t->evals.rows) {
                vdi_series *e = vdi_panel_line(p, "evaluation",
                                               vdi_tensor_index(sheet_tensor(&t->evals), 1, 1));
                e->x = vdi_tensor_index(sheet_tensor(&t->evals), 1, 0);
                e->color = VDI_COLOR_VERMILION;
            }
        }
        for (int64_t i = 0; i < count; i++) {
            line[lines] = smooth(l, first + i, window);
            vdi_series *s = vdi_panel_line(p,
                                           row == 0   ? "mean of 20"
                                           : row == 1 ? t->env.component[i]
                                                      : t->head[i],
                                           vdi_tensor_1d(line[lines++], VDI_F64, l->rows));
            s->x = x;
            if (row == 0) s->color = VDI_COLOR_BLUE;
            if (i >= 6) s->dashed = true;
        }
    }
    char *path = path_join(t->r->out, "curve.svg");
    bool ok = save_svg(path, &f, &err);
    if (!ok) (void)fail_error(&err, path);
    free(path);
    vdi_figure_free(&f);
    for (int i = 0; i < lines; i++)
        free(line[i]);
    return ok;
}

/* The last episodes' mean return. */
static double training_recent(const training *t) {
    const int64_t n = t->log.rows < 20 ? t->log.rows : 20;
    double sum = 0;
    for (int64_t i = t->log.rows - n; i < t->log.rows; i++)
        sum += t->log.data[i * t->log.cols + 4];
    return n ? sum / (double)n : NAN;
}

static bool training_loop(training *t, int64_t steps) {
    run *r = t->r;
    vdi_error err = {0};
    const int64_t every = t->want->eval_every, o = t->env.observations;
    t->saved = seconds_now();
    while (vdi_sacd_steps(t->agent) < steps) {
        const bool look = t->episode->running && !t->episode->end &&
                          t->episode->steps % INFLUENCE_EVERY == 0 &&
                          vdi_sacd_updates(t->agent) > 0;
        const int64_t done = vdi_sacd_updates(t->agent);
        if (look) memcpy(t->before, t->episode->obs, (size_t)o * sizeof *t->before);
        if (vdi_sacd_step(t->agent, &t->env, t->episode, &t->stats, &err) < 0) {
            fail_error(&err, NULL);
            return false;
        }
        const int64_t step = vdi_sacd_steps(t->agent);
        if (look) {
            double weights[VDI_ENV_MAX_COMPONENTS + 1], influence[VDI_ENV_MAX_COMPONENTS + 1],
                sum = 1e-5;
            vdi_sacd_weights(t->agent, weights);
            vdi_critic_influence(vdi_sacd_critic(t->agent), 1, t->before, t->episode->action,
                                 t->heads == 1 ? NULL : weights, influence);
            for (int64_t i = 0; i < t->heads; i++)
                sum += influence[i];
            for (int64_t i = 0; i < t->heads; i++)
                t->influence[i] += influence[i] / sum;
            t->states++;
        }
        if (vdi_sacd_updates(t->agent) > done) {
            for (int64_t i = 0; i < t->heads; i++)
                t->mean_loss[i] += t->stats.loss[i];
            t->updates++;
        }
        if (every > 0 && step % every == 0 && !training_judge(t)) return false;
        progress(r, step, steps, "mean return", training_recent(t));
        if (t->episode->end) training_log(t);
        if (interrupted()) break;
        if (!t->episode->end) continue; /* where any simulator can go on */
        if (checkpoint_due(&t->saved, fmax(10, 50 * t->save_seconds)) && !training_save(t))
            return false;
    }
    progress_end(r);
    return true;
}

/* The options and the environment's sizes as the library wants them. `weights` holds those of
 * --weights. DONE, or an exit code. */
static int desc_read(const run *r, const train_options *want, const vdi_env *env, double *weights,
                     vdi_sacd_desc *out) {
    const int m = (int)env->components;
    vdi_sacd_desc d = want->agent;
    d.observations = env->observations;
    d.actions = env->actions;
    d.components = m;
    if (d.layers < 1) return usage("--hidden: expected at least one layer, got none");
    if (want->weights) {
        const int given = numbers_read(want->weights, weights, m + 1);
        if (given != m && given != m + 1) {
            return usage("--weights: expected %d numbers (or %d with the entropy's), got '%s'", m,
                         m + 1, want->weights);
        }
        if (given == m) weights[m] = 1;
        d.weights = weights;
    }
    if (d.last_rate == 0) d.last_rate = d.rate;
    if (d.last_rate != d.rate) d.rate_hold = want->steps / (2 * d.update_every);
    d.rate_updates = d.rate_hold;
    if (d.capacity > want->steps) d.capacity = want->steps;
    if (want->has_alpha) {
        d.log_alpha = log(want->alpha);
        d.fixed_alpha = true;
    }
    d.seed = r->seed;
    d.pool = r->pool;
    *out = d;
    return DONE;
}

static int train_main(run *r, void *options) {
    train_options *want = (train_options *)options;
    vdi_error err = {0};
    training *t = (training *)calloc(1, sizeof *t);
    if (!t) return fail("out of memory");
    const int64_t steps = want->steps;
    double list[VDI_ENV_MAX_COMPONENTS + 1];
    vdi_sacd_desc desc;
    t->r = r;
    t->want = want;
    if (!env_open(r, &want->env, &t->env)) return FAILED;
    if (want->eval_every > 0 && !env_open(r, &want->env, &t->judge)) return FAILED;
    recipe_apply(&t->env, &want->agent);
    const int code = desc_read(r, want, &t->env, list, &desc);
    if (code != DONE) return code;
    if (vdi_sacd_create(&desc, &t->agent, &err) < 0) {
        return err.status == VDI_ERR_MEMORY ? fail_error(&err, NULL) : usage("%s", err.message);
    }
    if (vdi_sacd_episode_create(t->agent, NULL, &t->episode, &err) < 0)
        return fail_error(&err, NULL);
    t->before = (float *)calloc((size_t)t->env.observations, sizeof *t->before);
    if (!t->before) return fail("out of memory");
    training_tables(t);
    if (r->resume && !training_resume(t, r->resume)) return FAILED;
    if (!run_open_out(r)) return FAILED;
    const clock_t begin = clock();
    const bool ok = training_loop(t, steps);
    const double cpu = (double)(clock() - begin) / CLOCKS_PER_SEC;
    const bool finished = vdi_sacd_steps(t->agent) >= steps;
    if (!ok) {
        if (!r->quiet && t->log.rows && vdi_sacd_steps(t->agent) > 0)
            fprintf(stderr, "vdi: go on with: vdi sacd train --resume %s\n", r->out);
        return FAILED;
    }
    if (!training_save(t) || !training_draw(t)) return FAILED;
    if (!finished) {
        fprintf(
            stderr,
            "vdi: interrupted after %lld of %lld steps; go on with: vdi sacd train --resume %s\n",
            (long long)vdi_sacd_steps(t->agent), (long long)steps, r->out);
    } else {
        static const char *const keys[] = {"steps",         "episodes", "updates",
                                           "return_recent", "alpha",    "cpu_seconds"};
        double values[] = {(double)vdi_sacd_steps(t->agent),   (double)t->log.rows,
                           (double)vdi_sacd_updates(t->agent), training_recent(t),
                           vdi_sacd_alpha(t->agent),           cpu};
        print_results(r, keys, values, 6);
    }
    vdi_sacd_episode_destroy(t->episode);
    vdi_sacd_destroy(t->agent);
    vdi_env_close(&t->env);
    vdi_env_close(&t->judge);
    free(t->before);
    free(t->log.data);
    free(t->evals.data);
    free(t);
    return finished ? DONE : INTERRUPTED;
}

/* ---- eval ------------------------------------------------------------------------------------ */

typedef struct eval_options {
    env_options env;
    int64_t episodes;
} eval_options;

static int eval_main(run *r, void *options) {
    const eval_options *want = (const eval_options *)options;
    agent_file a;
    vdi_env env;
    const int64_t episodes = want->episodes;
    if (!agent_load(r->argument[0], r->pool, &a)) return FAILED;
    if (!agent_env_open(r, &want->env, r->argument[0], &a, &env)) return FAILED;
    double mean, sd, components[VDI_ENV_MAX_COMPONENTS], steps;
    if (!judge(a.agent, &env, r->seed, episodes, &mean, &sd, components, &steps, r))
        return interrupted() ? INTERRUPTED : FAILED;
    if (r->json) {
        printf("{\"return_mean\": %.10g, \"return_std\": %.10g, \"components\": {", mean, sd);
        for (int64_t i = 0; i < env.components; i++) {
            printf("%s", i ? ", " : "");
            print_json_text(env.component[i]);
            printf(": %.10g", components[i]);
        }
        printf("}, \"steps\": %.10g, \"episodes\": %lld}\n", steps, (long long)episodes);
    } else {
        printf("%-24s %.10g\n%-24s %.10g\n", "return_mean", mean, "return_std", sd);
        for (int64_t i = 0; i < env.components; i++)
            printf("  %-22s %.10g\n", env.component[i], components[i]);
        printf("%-24s %.10g\n", "steps", steps);
    }
    vdi_env_close(&env);
    agent_free(&a);
    return DONE;
}

/* ---- envs ------------------------------------------------------------------------------------ */

static void envs_row(const run *r, const vdi_env *e, const char *summary, const char *line,
                     bool first) {
    if (r->json) {
        printf("%s", first ? "{" : ", ");
        print_json_text(e->name);
        printf(": {\"observations\": %lld, \"actions\": %lld, \"components\": [",
               (long long)e->observations, (long long)e->actions);
        for (int64_t k = 0; k < e->components; k++) {
            printf("%s", k ? ", " : "");
            print_json_text(e->component[k]);
        }
        printf("]");
        if (line) {
            printf(", \"env-cmd\": ");
            print_json_text(line);
        }
        printf("}");
        return;
    }
    printf("%s: %s\n  %lld observations, %lld actions, at most %lld steps; reward:", e->name,
           summary, (long long)e->observations, (long long)e->actions, (long long)e->limit);
    for (int64_t k = 0; k < e->components; k++)
        printf(" %s", e->component[k]);
    puts("");
    if (line) printf("  outside: make box2d, then --env-cmd %s\n", line);
}

static int envs_main(run *r, void *options) {
    (void)options;
    int64_t count;
    const vdi_env_entry *const *list = vdi_env_list(&count);
    for (int64_t i = 0; i < count; i++)
        envs_row(r, &list[i]->env, list[i]->summary, NULL, i == 0);
    for (const env_program *p = env_programs; p->line; p++)
        envs_row(r, &p->env, p->summary, p->line, false);
    puts(r->json ? "}"
                 : "Any other runs as a program behind --env-cmd; examples/gymnasium_bridge.py "
                   "serves Gymnasium's (docs/guide/environments.md).");
    return DONE;
}

#define AGENT_OPTION(name, value, initial, member) \
    OPTION_OF(name, value, initial, train_options, agent, vdi_sacd_desc_fields, member)
static const option train_rows[] = {
    ENV_OPTIONS(train_options),
    OPTION_GROUP("the agent (defaults that an environment has its own for: vdi sacd envs)"),
    AGENT_OPTION("algo", "NAME", NULL, "algo"),
    AGENT_OPTION("hidden", "N,N", "auto", "hidden"),
    AGENT_OPTION("batch", "N", "auto", "batch"),
    AGENT_OPTION("rate", "X", "auto", "rate"),
    AGENT_OPTION("last-rate", "X", "auto", "last_rate"),
    AGENT_OPTION("critic-rate", "X", "auto", "critic_rate"),
    AGENT_OPTION("composite-weight", "L", NULL, "composite_weight"),
    AGENT_OPTION("tau", "X", "auto", "tau"),
    AGENT_OPTION("gamma", "X", "auto", "gamma"),
    AGENT_OPTION("start", "N", "auto", "start"),
    AGENT_OPTION("update-every", "N", NULL, "update_every"),
    AGENT_OPTION("capacity", "N", NULL, "capacity"),
    AGENT_OPTION("target-entropy", "X", "auto", "target_entropy"),
    AGENT_OPTION("entropy-at-terminals", NULL, NULL, "entropy_at_terminals"),
    AGENT_OPTION("cagrad-c", "C", NULL, "cagrad_c"),
    OPTION_TEXT(train_options, weights, "weights", "W1,...", NULL,
                "a weight for each reward component (and one for the entropy); 1 each without it"),
    {.name = "alpha",
     .value = "X",
     .own = VDI_FIELD_REAL_TWIN(train_options, alpha, has_alpha, 0, 0, 1e12,
                                VDI_FIELD_ABOVE | VDI_FIELD_REQUIRED,
                                "a fixed temperature; without it, it is learned")},
    OPTION_GROUP("the run"),
    OPTION(
        "steps", "N",
        VDI_FIELD_INT(train_options, steps, 10000, 1, 1000000000000, "steps of the environment")),
    OPTION("eval-every", "N",
           VDI_FIELD_INT(train_options, eval_every, 0, 0, 1000000000000,
                         "evaluate every N steps into eval.csv, the best agent into "
                         "best.safetensors; 0: never")),
    OPTION("eval-episodes", "N",
           VDI_FIELD_INT(train_options, eval_episodes, 10, 1, 1000000, "episodes of each")),
    OPTION_TEXT(train_options, resume, "resume", "RUN", NULL,
                "go on with an interrupted run; ends in the same bits"),
};
const command sacd_train_command = {
    .family = "sacd",
    .verb = "train",
    .arguments = "",
    .out = true,
    .summary =
        "Train an agent whose value is split by reward component. Writes agent.safetensors, "
        "log.csv (a row for each episode: return, every component, influence and loss of every "
        "head), curve.svg, and a checkpoint where an episode ends; with --eval-every eval.csv and "
        "best.safetensors.",
    .example = "vdi sacd train --env pendulum --steps 10000 --out run",
    COMMAND_OPTIONS(train_rows),
    .size = sizeof(train_options),
    .main = train_main,
};

static const option eval_rows[] = {
    ENV_OPTIONS(eval_options),
    OPTION_GROUP("what is played"),
    OPTION("episodes", "N",
           VDI_FIELD_INT(eval_options, episodes, 100, 1, 100000000, "episodes to play")),
};
const command sacd_eval_command = {
    .family = "sacd",
    .verb = "eval",
    .arguments = "RUN",
    .least = 1,
    .most = 1,
    .summary =
        "Play episodes with deterministic actions: mean and standard deviation of the return, and "
        "its components. Equal --seed, equal episodes.",
    .example = "vdi sacd eval run --episodes 100 --json",
    COMMAND_OPTIONS(eval_rows),
    .size = sizeof(eval_options),
    .main = eval_main,
};

const command sacd_envs_command = {
    .family = "sacd",
    .verb = "envs",
    .arguments = "",
    .summary = "The built-in environments and their reward components.",
    .example = "vdi sacd envs",
    .main = envs_main,
};
