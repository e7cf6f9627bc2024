/* examples/vdi/inspect.c - vdi sacd inspect: why an agent does what it does, as numbers and as a
 * page to play with
 *
 * Episodes are recorded as the agent saw them (model/sacd/explain.h). At every step a few candidate
 * actions are kept with the values that both twins give to each component, so that the page can
 * rank them anew under other weights, without the agent: inspect_page.c.
 */
#include "inspect.h"

/* numbers of what-if, and of axes, that a page may hold; above that they are kept at every n-th
 * step only, so that three long episodes stay below 2 MB */
#define MOST_NUMBERS 40000.0

typedef struct inspect_options {
    env_options env;
    int64_t episodes, candidates;
    bool deterministic;
    const char *what_if, *at, *beside;
} inspect_options;

int64_t sweep_points(const inspection *s) { return s->env->discrete ? s->env->actions : SWEEP; }
int64_t sweep_axes(const inspection *s) { return s->env->discrete ? 1 : s->env->actions; }

/* Values along each axis of the action, through the one that was taken. */
static bool sweep(inspection *s, episode *e) {
    const vdi_sacd_trace *t = e->trace;
    const int64_t points = sweep_points(s), axes = sweep_axes(s), n = points * axes;
    const double whole = (double)(t->steps * n * s->heads * s->episodes);
    e->sweep_stride = 1 + (int64_t)(whole / MOST_NUMBERS);
    e->sweeps = (t->steps + e->sweep_stride - 1) / e->sweep_stride;
    e->sweep = (float *)malloc((size_t)(e->sweeps * n * s->heads) * sizeof *e->sweep + 1);
    float *a = (float *)malloc((size_t)(n * t->actions) * sizeof *a + 1);
    if (!e->sweep || !a) {
        free(a);
        (void)fail("out of memory");
        return false;
    }
    double *q = doubles(2 * n * s->heads);
    for (int64_t k = 0; k < e->sweeps; k++) {
        const int64_t at = k * e->sweep_stride;
        for (int64_t i = 0; i < n; i++) {
            float *row = a + i * t->actions;
            memcpy(row, t->action + at * t->actions, (size_t)t->actions * sizeof *row);
            if (s->env->discrete)
                vdi_env_choose(t->actions, i, row);
            else
                row[i / points] = -1 + 2 * (float)(i % points) / (float)(points - 1);
        }
        (void)vdi_sacd_action_values(s->agent, t->obs + at * t->observations, n, a, q,
                                     q + n * s->heads);
        for (int64_t i = 0; i < n; i++) {
            const double *twin[2] = {q + i * s->heads, q + (n + i) * s->heads};
            double sum[2] = {0, 0};
            for (int64_t h = 0; h < s->heads; h++) {
                sum[0] += s->weights[h] * twin[0][h];
                sum[1] += s->weights[h] * twin[1][h];
            }
            for (int64_t h = 0; h < s->heads; h++)
                e->sweep[(k * n + i) * s->heads + h] = (float)twin[sum[1] < sum[0]][h];
        }
    }
    free(q);
    free(a);
    return true;
}

static bool record(const inspect_options *want, inspection *s, episode *e, vdi_env *env,
                   uint64_t seed, int64_t index, int64_t candidates) {
    vdi_error err = {0};
    const int64_t heads = s->heads, actions = env->actions;
    if (vdi_sacd_trace_create(s->agent, env->limit ? env->limit : 10000, NULL, &e->trace, &err) <
            0 ||
        vdi_sacd_trace_play(e->trace, s->agent, env, seed, (uint64_t)index, want->deterministic,
                            &err) < 0) {
        if (!interrupted()) (void)fail_error(&err, NULL);
        return false;
    }
    const double whole = (double)e->trace->steps * (double)candidates *
                         (double)(2 * heads + actions) * (double)want->episodes;
    e->stride = 1 + (int64_t)(whole / MOST_NUMBERS);
    e->states = (e->trace->steps + e->stride - 1) / e->stride;
    e->candidates = candidates;
    e->action = malloc((size_t)(e->states * candidates * actions) * sizeof *e->action + 1);
    for (int j = 0; j < 2; j++)
        e->q[j] = malloc((size_t)(e->states * candidates * heads) * sizeof *e->q[j] + 1);
    double *q = doubles(2 * candidates * heads);
    bool ok = e->action && e->q[0] && e->q[1];
    for (int64_t k = 0; ok && k < e->states; k++) {
        vdi_rng rng = vdi_rng_make(seed, ((uint64_t)index << 32) + (uint64_t)k);
        float *a = e->action + k * candidates * actions;
        const float *obs = e->trace->obs + k * e->stride * env->observations;
        /* the trace has been played, so its observations are finite */
        (void)vdi_sacd_candidates(s->agent, obs, &rng, candidates, a);
        (void)vdi_sacd_action_values(s->agent, obs, candidates, a, q, q + candidates * heads);
        for (int j = 0; j < 2; j++) {
            for (int64_t i = 0; i < candidates * heads; i++)
                e->q[j][k * candidates * heads + i] = (float)q[j * candidates * heads + i];
        }
    }
    free(q);
    if (!ok) (void)fail("no memory for the candidate actions of episode %lld", (long long)index);
    return ok && sweep(s, e);
}

/* The returns of a run over its training, if it has a log. */
static void curve_read(inspection *s, const char *from) {
    enum { WINDOW = 20 };
    vdi_csv table;
    vdi_error err = {0};
    learning_curve *c = &s->curve[s->curves];
    if (agent_is_file(from)) return;
    char *path = path_join(from, "log.csv");
    const bool ok = vdi_csv_load(path, NULL, &table, &err) >= 0;
    free(path);
    if (!ok) return;
    int64_t step = -1, value = -1;
    const int64_t cols = table.values.shape[1], rows = table.values.shape[0];
    const double *x = (const double *)table.values.data;
    for (int64_t i = 0; table.name && i < cols; i++) {
        if (strcmp(table.name[i], "step") == 0) step = i;
        if (strcmp(table.name[i], "return") == 0) value = i;
    }
    const int64_t points = rows < POINTS ? rows : POINTS;
    for (int64_t k = 0; step >= 0 && value >= 0 && k < points; k++) {
        const int64_t last = (k + 1) * rows / points - 1;
        const int64_t first = last < WINDOW ? 0 : last - WINDOW + 1;
        double sum = 0;
        for (int64_t i = first; i <= last; i++)
            sum += x[i * cols + value];
        c->step[k] = x[last * cols + step];
        c->value[k] = sum / (double)(last - first + 1);
        c->points = k + 1;
    }
    c->name = from;
    s->curves += c->points > 0;
    vdi_csv_free(&table);
}

/* --what-if W1,...: the weights. */
static int what_if_weights(const inspect_options *want, const inspection *s, double *w) {
    const int count = numbers_read(want->what_if, w, VDI_CRITIC_HEADS);
    if (count < 1 || count < s->heads - 1 || count > s->heads) {
        return usage("--what-if: expected %lld weights, or one more for the entropy, got \"%s\"",
                     (long long)(s->heads > 1 ? s->heads - 1 : 1), want->what_if);
    }
    if (count < s->heads) w[s->heads - 1] = 1;
    return DONE;
}

enum { STATES = 64 };

/* --at EPISODE,STEP;...: which states; -1 with a message. */
static int what_if_states(const inspect_options *want, const inspection *s, double (*at)[2]) {
    int count = 0;
    for (const char *text = want->at; *text; count++) {
        char one[64];
        const size_t length = strcspn(text, ";");
        snprintf(one, sizeof one, "%.*s", (int)length, text);
        if (count == STATES || numbers_read(one, at[count], 2) != 2) {
            (void)usage(
                "--at: expected EPISODE,STEP, or up to %d with semicolons between, got \"%s\"",
                STATES, want->at);
            return -1;
        }
        const double *x = at[count];
        if (!(x[0] >= 0 && x[0] < (double)s->episodes) ||
            !(x[1] >= 0 && x[1] < (double)s->episode[(int64_t)x[0]].trace->steps)) {
            (void)usage("--at: there is no step %g of an episode %g", x[1], x[0]);
            return -1;
        }
        text += length + (text[length] == ';');
    }
    return count;
}

static void what_if(const run *r, const inspection *s, const double *w, const double *at) {
    const episode *e = &s->episode[(int64_t)at[0]];
    const int64_t state = (int64_t)at[1] / e->stride;
    const int64_t n = e->candidates * s->heads;
    const int64_t actions = s->env->actions;
    double *q = doubles(2 * n), value;
    for (int j = 0; j < 2; j++) {
        for (int64_t i = 0; i < n; i++)
            q[j * n + i] = (double)e->q[j][state * n + i];
    }
    const int64_t best = vdi_what_if(e->candidates, s->heads, w, q, q + n, &value);
    const float *a = e->action + (state * e->candidates + best) * actions;
    printf(r->json ? "{\"episode\": %lld, \"step\": %lld, \"candidate\": %lld, \"value\": %.17g, "
                     "\"action\": ["
                   : "what if, episode %lld, step %lld: candidate %lld, value %.6g, action",
           (long long)at[0], (long long)(state * e->stride), (long long)best, value);
    for (int64_t k = 0; k < actions; k++)
        printf(r->json ? "%s%.9g" : "%s%.4g", r->json ? (k ? ", " : "") : " ", (double)a[k]);
    printf(r->json ? "]}" : "\n");
    free(q);
}

/* The first as "what_if"; all of them as "what_ifs" where there are more. */
static void what_ifs(const run *r, const inspection *s, const double *w, int count,
                     double (*at)[2]) {
    if (r->json) printf(", \"what_if\": ");
    if (r->json || count == 1) what_if(r, s, w, at[0]);
    if (count == 1) return;
    if (r->json) printf(", \"what_ifs\": [");
    for (int i = 0; i < count; i++) {
        if (r->json && i) printf(", ");
        what_if(r, s, w, at[i]);
    }
    if (r->json) printf("]");
}

/* What an episode adds to the means over all. */
static void add_episode(inspection *s, const vdi_sacd_trace *t, double *sum, double *squares) {
    double total = 0;
    vdi_value_check_add(&s->check, t);
    for (int64_t k = 0; k < t->steps * t->components; k++)
        total += (double)t->reward[k];
    for (int64_t k = 0; k < t->steps; k++) {
        double all = 1e-300;
        for (int64_t h = 0; h < s->heads; h++)
            all += t->influence[k * s->heads + h];
        for (int64_t h = 0; h < s->heads; h++)
            s->influence[h] += t->influence[k * s->heads + h] / all;
        s->steps++;
    }
    *sum += total;
    *squares += total * total;
}

static void print_head(const inspection *s, int64_t h) {
    static const char *const key[6] = {"influence", "mean", "bias", "rmse", "slope", "explained"};
    const vdi_value_error v = vdi_value_check_head(&s->check, h);
    const double x[6] = {s->influence[h], v.mean, v.bias, v.rmse, v.slope, v.explained};
    printf("%s", h ? ", " : "");
    print_json_text(s->head[h]);
    printf(": {");
    for (int i = 0; i < 6; i++) {
        if (is_finite(x[i]))
            printf("%s\"%s\": %.10g", i ? ", " : "", key[i], x[i]);
        else
            printf("%s\"%s\": null", i ? ", " : "", key[i]);
    }
    printf("}");
}

static void print_row(const inspection *s, int64_t h) {
    const vdi_value_error v = vdi_value_check_head(&s->check, h);
    const double x[6] = {s->influence[h], v.mean, v.bias, v.rmse, v.slope, v.explained};
    printf("%-16s", s->head[h]);
    for (int i = 0; i < 6; i++) {
        if (is_finite(x[i]))
            printf(" %12.4g", x[i]);
        else
            printf(" %12s", "-");
    }
    printf("\n");
}

static void print_inspection(const run *r, const inspection *s, double mean, double sd) {
    if (r->json) {
        printf("{\"episodes\": %lld, \"return_mean\": %.10g, \"return_std\": %.10g, "
               "\"components\": {",
               (long long)s->episodes, mean, sd);
    } else {
        printf("%-16s %12s %12s %12s %12s %12s %12s\n", "component", "influence", "mean return",
               "bias", "RMSE", "slope", "explained");
    }
    for (int64_t h = 0; h < s->heads; h++) {
        if (r->json)
            print_head(s, h);
        else
            print_row(s, h);
    }
    if (r->json) printf("}");
}

/* Episodes, page and figures; the environment and the agent are there. */
static int inspect_all(run *r, const inspect_options *want, inspection *s, vdi_env *env) {
    double sum = 0, squares = 0, w[VDI_CRITIC_HEADS], at[STATES][2];
    int status = DONE, states = 0;
    /* into the run, whose run.json stays that of the training */
    const char *folder = r->out ? r->out : r->argument[0];
    for (int64_t i = 0; i < s->episodes; i++) {
        if (interrupted()) return INTERRUPTED;
        if (!record(want, s, &s->episode[i], env, r->seed, i,
                    env->discrete ? env->actions : want->candidates))
            return interrupted() ? INTERRUPTED : FAILED;
        add_episode(s, s->episode[i].trace, &sum, &squares);
        progress(r, i + 1, s->episodes, "mean return", sum / (double)(i + 1));
    }
    progress_end(r);
    for (int64_t h = 0; h < s->heads; h++)
        s->influence[h] /= (double)(s->steps ? s->steps : 1);
    const double mean = sum / (double)s->episodes;
    const double variance = squares / (double)s->episodes - mean * mean;
    if (want->what_if) {
        if ((status = what_if_weights(want, s, w)) != DONE) return status;
        if ((states = what_if_states(want, s, at)) < 1) return USAGE;
    }
    curve_read(s, r->argument[0]);
    if (want->beside) curve_read(s, want->beside);
    if (!inspect_page(s, folder)) return FAILED;
    print_inspection(r, s, mean, sqrt(fmax(variance, 0)));
    if (want->what_if) what_ifs(r, s, w, states, at);
    if (r->json)
        printf("}\n");
    else
        printf("%s/inspect.html\n", folder);
    return DONE;
}

static int inspect_main(run *r, void *options) {
    const inspect_options *want = (const inspect_options *)options;
    agent_file a;
    vdi_env env;
    inspection s = {0};
    int status = FAILED;
    if (!r->out && agent_is_file(r->argument[0]))
        return usage("%s is a file: say with --out where the page goes", r->argument[0]);
    if (!agent_load(r->argument[0], r->pool, &a)) return FAILED;
    if (!agent_env_open(r, &want->env, r->argument[0], &a, &env)) {
        agent_free(&a);
        return FAILED;
    }
    s.episodes = want->episodes;
    s.agent = a.agent;
    s.env = &env;
    s.run = r->argument[0];
    s.heads = vdi_critic_get_desc(vdi_sacd_critic(a.agent))->heads;
    s.gamma = vdi_sacd_get_desc(a.agent)->gamma;
    s.algo = vdi_sacd_algo_name(vdi_sacd_get_desc(a.agent)->algo);
    for (int64_t i = 0; i < s.heads; i++)
        s.head[i] = s.heads == 1 ? "value" : i < env.components ? env.component[i] : "entropy";
    vdi_sacd_weights(a.agent, s.weights);
    if (s.heads == 1) s.weights[0] = 1;
    s.episode = (episode *)calloc((size_t)s.episodes, sizeof *s.episode);
    if (!s.episode) (void)fail("no memory for %lld episodes", (long long)s.episodes);
    if (s.episode && run_open_out(r)) status = inspect_all(r, want, &s, &env);
    for (int64_t i = 0; s.episode && i < s.episodes; i++) {
        vdi_sacd_trace_destroy(s.episode[i].trace);
        free(s.episode[i].action);
        free(s.episode[i].q[0]);
        free(s.episode[i].q[1]);
        free(s.episode[i].sweep);
    }
    free(s.episode);
    vdi_env_close(&env);
    agent_free(&a);
    return status;
}

static const option inspect_rows[] = {
    ENV_OPTIONS(inspect_options),
    OPTION_GROUP("what is played"),
    OPTION("episodes", "N",
           VDI_FIELD_INT(inspect_options, episodes, 3, 1, 1000, "episodes to play")),
    OPTION("candidates", "N",
           VDI_FIELD_INT(inspect_options, candidates, 12, 1, 1000,
                         "actions that what-if chooses from: the policy's mean, samples of it, "
                         "uniform ones")),
    OPTION("deterministic", NULL,
           VDI_FIELD_BOOL(inspect_options, deterministic,
                          "play tanh(mean); values are those of the sampling policy, which plays "
                          "without this")),
    OPTION_TEXT(inspect_options, what_if, "what-if", "W1,...", NULL,
                "a weight for each component: print the best candidate under them ..."),
    OPTION_TEXT(inspect_options, at, "at", "EPISODE,STEP", "0,0",
                "... at this state; more after a semicolon"),
    OPTION_TEXT(inspect_options, beside, "beside", "RUN2", NULL,
                "another run, whose learning curve the page shows beside this one's"),
};
const command sacd_inspect_command = {
    .family = "sacd",
    .verb = "inspect",
    .arguments = "RUN",
    .least = 1,
    .most = 1,
    .summary =
        "Which component drives a decision, is it predicted well, and what if it weighed "
        "differently? Writes inspect.html (into RUN, or --out): an episode to scrub through, its "
        "values by component over the returns that followed, influence, and sliders for the "
        "weights.",
    .example = "vdi sacd inspect run --episodes 3",
    COMMAND_OPTIONS(inspect_rows),
    .size = sizeof(inspect_options),
    .main = inspect_main,
};
