/* examples/vdi/sacd_train.c - vdi sacd train: an agent whose value is split by reward component
 *
 * A run is a function of its options alone: episode k of training is episode k of --seed,
 * evaluation plays those of seed + 1,000,000. It is saved where an episode has ended, and inside
 * one that takes long; a signal saves wherever it comes.
 */

#include "sacd_train.h"

enum { INFLUENCE_EVERY = 16, FAR = 30 /* times as large as 1 */ };

/* ---- what is learned where: used for options that are not given ------------------------------ */

/* Zero where the library's default is good. */
typedef struct recipe {
    const char *env;
    int64_t hidden, batch, start, noise_hold;
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
     .noise_hold = 30,
     .has_target_entropy = true},
    {.env = "lander",
     .batch = 128,
     .rate = 0.0007,
     .last_rate = 0.00005,
     .tau = 0.01,
     .start = 5000,
     .noise_hold = 30,
     .has_target_entropy = true},
    {.env = "cartpole", .hidden = 64, .batch = 100, .rate = 0.001, .start = 500},
    {.env = "cartpole-discrete", .hidden = 64, .batch = 100, .rate = 0.001, .start = 500},
    {.env = "navigate"},
    {.env = "bipedal-walker", .rate = 0.0007, .tau = 0.02, .gamma = 0.98, .start = 10000},
};

static void real_default(double *value, double is) {
    if (*value == 0) *value = is;
}

/* What is learned where: for options that are not given; the rest is the library's. */
static void recipe_apply(const run *r, const vdi_env *env, vdi_sacd_desc *d) {
    bool known = false;
    for (int i = 0; i < (int)VDI__COUNT(recipes); i++) {
        const recipe *c = &recipes[i];
        if (strcmp(c->env, env->name) != 0) continue;
        known = true; /* its observations are near 1 as they are */
        if (d->layers == 0 && c->hidden) {
            d->layers = 2;
            d->hidden[0] = d->hidden[1] = c->hidden;
        }
        if (d->batch == 0) d->batch = c->batch;
        if (d->start == 0) d->start = c->start;
        if (d->noise_hold == 0) d->noise_hold = c->noise_hold;
        if (d->rate == 0) real_default(&d->last_rate, c->last_rate);
        real_default(&d->rate, c->rate);
        real_default(&d->tau, c->tau);
        real_default(&d->gamma, c->gamma);
        if (!d->has_target_entropy && c->has_target_entropy) {
            d->has_target_entropy = true;
            d->target_entropy = c->target_entropy;
        }
    }
    if (option_given(r, "normalise") < IN_FILE) d->normalise = !known;
    vdi_fields_fill(vdi_sacd_desc_fields(), d);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* What acts, without what learns. */
static bool agent_save(const training *t, const char *name) {
    const char *env = t->want->env.name;
    char limit[24];
    vdi_state *s = state_copy(vdi_sacd_state(t->agent, false), 0, 3);
    (void)vdi_text_format(limit, sizeof limit, "%lld", (long long)t->want->env.limit);
    state_note(s, "model", "sacd");
    state_note(s, "env", env ? env : "");
    state_note(s, "limit", limit);
    return state_save(t->r, name, s);
}

/* What the row of a lane's episode is made of, while the episode is under way: saved, and taken
 * back. */
enum { RUNNING = 5 };

static void lane_running(lane *l, int64_t heads, double *number, bool take) {
    double counts[2] = {(double)l->states, (double)l->updates};
    double *const place[RUNNING] = {&l->entropy, &l->value, &l->policy_loss, &counts[0],
                                    &counts[1]};
    for (int64_t i = 0; i < RUNNING + 2 * heads; i++) {
        const int64_t k = i - RUNNING;
        double *at = k < 0 ? place[i] : k < heads ? &l->influence[k] : &l->mean_loss[k - heads];
        if (take)
            *at = number[i];
        else
            number[i] = *at;
    }
    if (!take) return;
    l->states = (int64_t)counts[0];
    l->updates = (int64_t)counts[1];
}

static bool training_save(training *t) {
    const double begin = seconds_now();
    const int64_t cols = RUNNING + 2 * t->heads;
    double *running = doubles(t->lanes * cols);
    int64_t *episode = (int64_t *)malloc((size_t)(2 * t->lanes) * sizeof *episode);
    if (!episode) exit(fail("out of memory"));
    for (int64_t k = 0; k < t->lanes; k++) {
        episode[2 * k] = t->episode[k]->index;
        episode[2 * k + 1] = t->episode[k]->steps;
        lane_running(&t->lane[k], t->heads, running + k * cols, false);
    }
    vdi_state *s = state_copy(vdi_sacd_state(t->agent, true), 4, 0);
    state_add(s, "log", sheet_tensor(&t->log));
    state_add(s, "evals", sheet_tensor(&t->evals));
    state_add(s, "episode", vdi_tensor_2d(episode, VDI_I64, t->lanes, 2));
    state_add(s, "running", vdi_tensor_2d(running, VDI_F64, t->lanes, cols));
    bool ok = state_save(t->r, "checkpoint.safetensors", s);
    ok = ok && agent_save(t, "agent.safetensors") && sheet_save(t->r, "log.csv", &t->log);
    if (t->evals.rows) ok = ok && sheet_save(t->r, "eval.csv", &t->evals);
    free(episode);
    free(running);
    t->saved = seconds_now();
    t->save_seconds = t->saved - begin;
    return ok;
}

/* A new run leaves nothing of one that was in its folder before. */
static void remove_old(const run *r) {
    static const char *const names[] = {
        "agent.safetensors", "best.safetensors", "checkpoint.safetensors", "log.csv", "eval.csv",
        "curve.svg",         "inspect.html"};
    for (int i = 0; i < (int)VDI__COUNT(names); i++) {
        char *path = path_join(r->out, names[i]);
        (void)file_remove(path);
        free(path);
    }
}

/* ---- going on -------------------------------------------------------------------------------- */

/* The episodes of a checkpoint: their numbers and steps, and the rows under way. */
static bool training_take_episodes(training *t, const vdi_safetensors *file, vdi_error *err) {
    const vdi_tensor episode = vdi_safetensors_find(file, "episode");
    const vdi_tensor running = vdi_safetensors_find(file, "running");
    const int64_t cols = RUNNING + 2 * t->heads;
    int64_t lost = 0;
    if (episode.ndim != 2 || episode.shape[0] != t->lanes || episode.shape[1] != 2 ||
        episode.dtype != VDI_I64 || running.ndim != 2 || running.shape[0] != t->lanes ||
        running.shape[1] != cols || running.dtype != VDI_F64) {
        (void)vdi_error_set(err, VDI_ERR_FORMAT, "resume", "expected %lld episodes and their rows",
                            (long long)t->lanes);
        return false;
    }
    for (int64_t k = 0; k < t->lanes; k++) {
        bool exact;
        vdi_sacd_episode *e = t->episode[k];
        e->index = ((const int64_t *)episode.data)[2 * k];
        e->steps = ((const int64_t *)episode.data)[2 * k + 1];
        lane_running(&t->lane[k], t->heads, (double *)running.data + k * cols, true);
        if (vdi_sacd_catch_up(t->agent, &t->env[k], e, &exact, err) < 0) return false;
        if (exact) continue;
        lane_forget(&t->lane[k]);
        lost++;
    }
    if (lost) {
        fputs("vdi: warning: resume: the simulator does not repeat an episode, so the run goes on "
              "with the next one\n",
              stderr);
    }
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
                 training_take_episodes(t, &file, &err);
            vdi_safetensors_free(&file);
        }
    }
    if (!ok && !interrupted()) (void)fail_error(&err, path);
    free(path);
    return ok;
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* An evaluation: a row of eval.csv, and best.safetensors if none before was better. A run that was
   stopped repeats what came after its checkpoint, so the file is in the end what it would have
   been. */
static bool training_judge(training *t) {
    double row[3 + VDI_ENV_MAX_COMPONENTS], steps;
    bool best = true;
    if (!agent_judge(t->agent, &t->judge, t->r->seed, t->want->eval_episodes, &row[1], &row[2],
                     row + 3, &steps, NULL))
        return false;
    row[0] = (double)vdi_sacd_steps(t->agent);
    for (int64_t i = 0; i < t->evals.rows; i++)
        best = best && row[1] > t->evals.data[i * t->evals.cols + 1];
    memcpy(sheet_row(&t->evals), row, (size_t)t->evals.cols * sizeof *row);
    return !best || agent_save(t, "best.safetensors");
}

/* Is an evaluation due that has not been made? */
static bool training_judge_due(const training *t) {
    const int64_t every = t->want->eval_every, rows = t->evals.rows;
    const double last = rows ? t->evals.data[(rows - 1) * t->evals.cols] : 0;
    return every > 0 && vdi_sacd_steps(t->agent) / every > (int64_t)last / every;
}

/* Before a step: where the influence on its action will be asked for. */
static void lanes_watch(training *t) {
    const size_t o = (size_t)t->env->observations;
    for (int64_t k = 0; k < t->lanes; k++) {
        const vdi_sacd_episode *e = t->episode[k];
        lane *l = &t->lane[k];
        l->look = e->running && !e->end && e->steps % INFLUENCE_EVERY == 0 &&
                  vdi_sacd_updates(t->agent) > 0;
        if (l->look) memcpy(l->before, e->obs, o * sizeof *l->before);
    }
}

/* After it: what it adds to the row of its episode. */
static void lane_note(training *t, int64_t k) {
    lane *l = &t->lane[k];
    if (l->look) {
        double influence[VDI_ENV_MAX_COMPONENTS + 1], sum = 1e-5;
        (void)vdi_sacd_influence(t->agent, l->before, t->episode[k]->action, influence);
        for (int64_t i = 0; i < t->heads; i++)
            sum += influence[i];
        for (int64_t i = 0; i < t->heads; i++)
            l->influence[i] += influence[i] / sum;
        l->states++;
    }
    const vdi_sacd_stats *s = &t->stats[k];
    if (s->alpha > 0) { /* there was an update */
        for (int64_t i = 0; i < t->heads; i++)
            l->mean_loss[i] += s->loss[i];
        l->entropy = s->entropy;
        l->value = s->value;
        l->policy_loss = s->policy_loss;
        l->updates++;
    }
    if (t->episode[k]->end) training_log(t, k);
}

/* One line where the numbers that the nets would have to learn are far from 1. */
static void warn_scale(const training *t) {
    const vdi_sacd_desc *d = vdi_sacd_get_desc(t->agent);
    vdi_replay *replay = vdi_sacd_replay(t->agent);
    const int64_t n = vdi_replay_count(replay);
    double reward = 0, largest = 0;
    int64_t where = 0;
    for (int64_t i = 0; i < d->observations && !d->normalise; i++) {
        double squares = 0;
        for (int64_t k = 0; k < n; k++) {
            const double x = (double)vdi_replay_get(replay, k).obs[i];
            squares += x * x / (double)n;
        }
        if (squares > largest) where = i;
        largest = fmax(largest, squares);
    }
    for (int64_t k = 0; k < n; k++) {
        const vdi_transition past = vdi_replay_get(replay, k);
        double sum = 0;
        for (int64_t i = 0; i < d->components; i++)
            sum += fabs((double)past.reward[i]);
        reward += sum * sum / (double)n;
    }
    const char *const *names = t->env->observation;
    const char *name = names && *names[where] ? names[where] : "it";
    if (sqrt(largest) > FAR) {
        fprintf(stderr,
                "vdi: warning: scale: observation %lld (%s) is about %.2g; nets learn from numbers "
                "near 1 (--normalise yes)\n",
                (long long)where, name, sqrt(largest));
    }
    if (reward > 0 && (sqrt(reward) > FAR * FAR || sqrt(reward) < 1.0 / (FAR * FAR))) {
        fprintf(stderr,
                "vdi: warning: scale: the reward of a step is about %.2g; against an entropy of "
                "about 1 it rules or is not seen (scale it in the simulator)\n",
                sqrt(reward));
    }
}

/* A checkpoint where an episode has ended, from which any simulator can go on; inside of one that
 * takes four times as long. */
static bool training_checkpoint(training *t) {
    double seconds = fmax(10, 50 * t->save_seconds);
    bool between = true;
    for (int64_t k = 0; k < t->lanes; k++)
        between = between && t->episode[k]->end;
    if (!between) seconds *= 4;
    return !checkpoint_due(&t->saved, seconds) || training_save(t);
}

/* Once, when its step has come. */
static bool training_tame(training *t, int64_t before) {
    enum { STATES = 200 };
    const int64_t now = vdi_sacd_steps(t->agent);
    vdi_error err = {0};
    if (t->tame.at == 0 || before >= t->tame.at || now < t->tame.at) return true;
    vdi_rng rng = vdi_rng_make(t->r->seed, UINT64_C(0x74616d65)); /* "tame" */
    const int64_t changed =
        vdi_sacd_tame(t->agent, &rng, STATES, t->tame.most, t->tame.back - now, &err);
    if (changed < 0) {
        (void)fail_error(&err, NULL);
        return false;
    }
    if (!t->r->quiet)
        fprintf(stderr, "vdi: %lld components are let in slowly\n", (long long)changed);
    return true;
}

/* Until `steps`, or a signal; false on an error, after which the agent is as it was before. */
static bool training_loop(training *t, int64_t steps) {
    run *r = t->r;
    vdi_error err = {0};
    t->saved = seconds_now();
    while (!interrupted()) {
        const int64_t before = vdi_sacd_steps(t->agent);
        if (training_judge_due(t) && !training_judge(t)) return interrupted();
        if (vdi_sacd_steps(t->agent) >= steps) break;
        lanes_watch(t);
        if (vdi_sacd_step_all(t->agent, t->lanes, t->env, t->episode, t->crew, t->stats, &err) <
            0) {
            progress_end(r);
            return interrupted() || fail_error(&err, NULL) == DONE;
        }
        const int64_t start = vdi_sacd_get_desc(t->agent)->start;
        if (before < start && vdi_sacd_steps(t->agent) >= start) warn_scale(t);
        for (int64_t k = 0; k < t->lanes; k++)
            lane_note(t, k);
        if (!training_tame(t, before) || !training_checkpoint(t)) return false;
        progress(r, vdi_sacd_steps(t->agent), steps, "mean return", training_recent(t));
    }
    progress_end(r);
    return true;
}

/* ---- weights over time ----------------------------------------------------------------------- */

/* A number at *text, which then points behind it; false if there is none. */
static bool take_number(const char **text, double *out) {
    const size_t n = vdi_text_parse_double(*text, strlen(*text), out);
    *text += n;
    return n > 0;
}

static bool take_letter(const char **text, char letter) {
    if (**text != letter) return false;
    ++*text;
    return true;
}

/* One line of --schedule: NAME:W@A-B,W2@C is W until step B, then a straight line to W2 at C. */
static bool schedule_line(training *t, const char *text, size_t length) {
    char copy[256];
    double from, to, first, begin, end;
    vdi_error err = {0};
    snprintf(copy, sizeof copy, "%.*s", (int)length, text);
    char *colon = strrchr(copy, ':');
    const char *at = colon ? colon + 1 : copy;
    if (colon) *colon = 0;
    const bool ok = colon && take_number(&at, &from) && take_letter(&at, '@') &&
                    take_number(&at, &first) && take_letter(&at, '-') && take_number(&at, &begin) &&
                    take_letter(&at, ',') && take_number(&at, &to) && take_letter(&at, '@') &&
                    take_number(&at, &end) && !*at && first == 0 && begin >= 0 && end >= begin &&
                    end < 1e15;
    int64_t component = 0;
    if (!ok) {
        (void)usage("--schedule: expected NAME:W@0-B,W2@C, such as river:0.03@0-3000,1@11000, got "
                    "'%.*s'",
                    (int)length, text);
        return false;
    }
    while (component < t->heads && strcmp(t->head[component], copy) != 0)
        component++;
    if (component == t->heads || t->heads == 1) {
        (void)usage("--schedule: there is no component '%s' to weigh", copy);
        return false;
    }
    if (vdi_sacd_schedule_weight(t->agent, component, from, to, (int64_t)begin,
                                 (int64_t)(end - begin), &err) >= 0)
        return true;
    (void)usage("--schedule: %s", err.message);
    return false;
}

static bool schedule_read(training *t, const char *text) {
    while (text && *text) {
        const size_t length = strcspn(text, ";");
        if (!schedule_line(t, text, length)) return false;
        text += length + (text[length] == ';');
    }
    return true;
}

/* SHARE@A-B */
static bool tame_read(training *t, const char *text) {
    double most, at, back;
    const char *p = text;
    if (!text) return true;
    const bool ok = take_number(&p, &most) && take_letter(&p, '@') && take_number(&p, &at) &&
                    take_letter(&p, '-') && take_number(&p, &back) && !*p && most > 0 &&
                    most <= 1 && at >= 1 && back > at && back < 1e15;
    if (!ok || t->heads == 1) {
        (void)usage("--tame: expected SHARE@A-B with a share above 0, at most 1, and steps A < B, "
                    "for an agent with components, got '%s'",
                    text);
        return false;
    }
    t->tame.most = most;
    t->tame.at = (int64_t)at;
    t->tame.back = (int64_t)back;
    return true;
}

/* ---- the verb -------------------------------------------------------------------------------- */

/* The options and the environment's sizes as the library wants them. `weights` holds those of
 * --weights. DONE, or an exit code. */
static int desc_read(const run *r, const train_options *want, const vdi_env *env, double *weights,
                     vdi_sacd_desc *out) {
    const int m = (int)env->components;
    vdi_sacd_desc d = want->agent;
    d.observations = env->observations;
    d.actions = env->actions;
    d.components = m;
    d.discrete = env->discrete;
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

/* What the replay buffer takes, before it is taken. */
static void tell_memory(const run *r, const vdi_sacd_desc *d) {
    enum { WORTH_A_WORD = 256 }; /* MB */
    vdi_replay_desc replay = {0};
    replay.capacity = d->capacity;
    replay.observations = d->observations;
    replay.actions = d->actions;
    replay.components = d->components;
    const double megabytes = (double)vdi_replay_memsize(&replay) / 1e6;
    if (r->quiet || megabytes < WORTH_A_WORD) return;
    fprintf(stderr, "vdi: %lld transitions will take %.3g GB (--capacity)\n",
            (long long)d->capacity, megabytes / 1000);
}

static bool training_open(training *t) {
    const train_options *want = t->want;
    const size_t n = (size_t)t->lanes;
    t->env = (vdi_env *)calloc(n, sizeof *t->env);
    t->episode = (vdi_sacd_episode **)calloc(n, sizeof(vdi_sacd_episode *));
    t->stats = (vdi_sacd_stats *)calloc(n, sizeof *t->stats);
    t->lane = (lane *)calloc(n, sizeof *t->lane);
    if (!t->env || !t->episode || !t->stats || !t->lane) {
        (void)fail("out of memory");
        return false;
    }
    for (int64_t k = 0; k < t->lanes; k++) {
        if (!env_open(t->r, &want->env, &t->env[k])) return false;
    }
    return want->eval_every == 0 || env_open(t->r, &want->env, &t->judge);
}

static bool training_begin(training *t) {
    vdi_error err = {0};
    const size_t o = (size_t)t->env->observations;
    for (int64_t k = 0; k < t->lanes; k++) {
        if (vdi_sacd_episode_create(t->agent, NULL, &t->episode[k], &err) < 0) {
            (void)fail_error(&err, NULL);
            return false;
        }
        t->episode[k]->index = t->episode[k]->lane = k;
        t->episode[k]->lanes = t->lanes;
        t->lane[k].before = (float *)calloc(o, sizeof(float));
        if (!t->lane[k].before) {
            (void)fail("out of memory");
            return false;
        }
    }
    if (t->lanes > 1 && vdi_pool_create((int)t->lanes, NULL, &t->crew, &err) < 0) {
        (void)fail_error(&err, NULL);
        return false;
    }
    training_tables(t);
    return true;
}

static void training_close(training *t) {
    for (int64_t k = 0; k < t->lanes; k++) {
        if (t->episode) vdi_sacd_episode_destroy(t->episode[k]);
        if (t->lane) free(t->lane[k].before);
        if (t->env) vdi_env_close(&t->env[k]);
    }
    vdi_env_close(&t->judge);
    vdi_pool_destroy(t->crew);
    vdi_sacd_destroy(t->agent);
    free(t->env);
    free(t->episode);
    free(t->stats);
    free(t->lane);
    free(t->log.data);
    free(t->evals.data);
    free(t);
}

/* With environment, agent and folder there: learn, save, tell. */
static int training_run(training *t) {
    run *r = t->r;
    const int64_t steps = t->want->steps;
    const double begin = cpu_seconds();
    const bool ok = training_loop(t, steps);
    const double cpu = cpu_seconds() - begin;
    const int64_t done = vdi_sacd_steps(t->agent);
    if ((ok || done > 0) && !training_save(t)) return FAILED;
    if (!ok) {
        if (!r->quiet && done > 0)
            fprintf(stderr, "vdi: go on with: vdi sacd train --resume %s\n", r->out);
        return FAILED;
    }
    if (!training_draw(t)) return FAILED;
    if (done < steps || training_judge_due(t)) {
        fprintf(
            stderr,
            "vdi: interrupted after %lld of %lld steps; go on with: vdi sacd train --resume %s\n",
            (long long)done, (long long)steps, r->out);
        return INTERRUPTED;
    }
    const char *const keys[] = {"steps",         "episodes", "updates",
                                "return_recent", "alpha",    "cpu_seconds"};
    const double values[] = {
        (double)done,       (double)t->log.rows,      (double)vdi_sacd_updates(t->agent),
        training_recent(t), vdi_sacd_alpha(t->agent), cpu};
    print_results(r, keys, values, 6);
    return DONE;
}

static int train_with(training *t, train_options *want) {
    run *r = t->r;
    vdi_error err = {0};
    double list[VDI_ENV_MAX_COMPONENTS + 1];
    vdi_sacd_desc desc;
    if (!training_open(t)) return FAILED;
    recipe_apply(r, t->env, &want->agent);
    const int code = desc_read(r, want, t->env, list, &desc);
    if (code != DONE) return code;
    tell_memory(r, &desc);
    if (vdi_sacd_create(&desc, &t->agent, &err) < 0) {
        return err.status == VDI_ERR_MEMORY ? fail_error(&err, NULL) : usage("%s", err.message);
    }
    if (!training_begin(t)) return FAILED;
    if (!schedule_read(t, want->schedule) || !tame_read(t, want->tame)) return USAGE;
    if (r->resume && !training_resume(t, r->resume)) return interrupted() ? INTERRUPTED : FAILED;
    if (!run_open_out(r)) return FAILED;
    if (!r->resume) remove_old(r);
    return training_run(t);
}

static int train_main(run *r, void *options) {
    train_options *want = (train_options *)options;
    training *t = (training *)calloc(1, sizeof *t);
    if (!t) return fail("out of memory");
    t->r = r;
    t->want = want;
    t->lanes = want->envs;
    const int code = train_with(t, want);
    training_close(t);
    return code;
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
    AGENT_OPTION("noise-hold", "N", "auto", "noise_hold"),
    AGENT_OPTION("update-every", "N", NULL, "update_every"),
    AGENT_OPTION("capacity", "N", NULL, "capacity"),
    AGENT_OPTION("target-entropy", "X", "auto", "target_entropy"),
    OPTION_OF("normalise", "yes|no", "auto", train_options, agent, vdi_sacd_desc_fields,
              "normalise"),
    AGENT_OPTION("entropy-at-terminals", NULL, NULL, "entropy_at_terminals"),
    AGENT_OPTION("cagrad-c", "C", NULL, "cagrad_c"),
    OPTION_TEXT(train_options, weights, "weights", "W1,...", NULL,
                "a weight for each reward component (and one for the entropy); 1 each without it"),
    OPTION_TEXT(train_options, schedule, "schedule", "NAME:W@0-B,W2@C", NULL,
                "the weight of a component over time: W until step B, then a straight line to W2 "
                "at step C; more after a semicolon"),
    OPTION_TEXT(train_options, tame, "tame", "SHARE@A-B", NULL,
                "at step A every component with more than SHARE of the influence is brought down "
                "to it, and led back to its weight until step B"),
    {.name = "alpha",
     .value = "X",
     .own = VDI_FIELD_REAL_TWIN(train_options, alpha, has_alpha, 0, 0, 1e12,
                                VDI_FIELD_ABOVE | VDI_FIELD_REQUIRED,
                                "a fixed temperature; without it, it is learned")},
    OPTION_GROUP("the run"),
    OPTION(
        "steps", "N",
        VDI_FIELD_INT(train_options, steps, 10000, 1, 1000000000000, "steps of the environment")),
    OPTION("envs", "N",
           VDI_FIELD_INT(train_options, envs, 1, 1, 64,
                         "environments at once, stepped side by side; equal N, equal bits")),
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
        "head), curve.svg, and a checkpoint now and then; with --eval-every eval.csv and "
        "best.safetensors.",
    .example = "vdi sacd train --env pendulum --steps 10000 --out run",
    COMMAND_OPTIONS(train_rows),
    .size = sizeof(train_options),
    .main = train_main,
};
