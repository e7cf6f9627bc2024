/* examples/vdi/sacd.c - vdi sacd eval | envs, and an agent out of its file */
#include "sacd.h"

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
        const char *limit = vdi_safetensors_meta(&out->file, "limit");
        if (!limit || vdi_text_parse_int(limit, strlen(limit), &out->limit) == 0 || out->limit < 0)
            out->limit = 0;
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

bool agent_env_open(const run *r, const env_options *given, const char *from, const agent_file *a,
                    vdi_env *env) {
    char *file = NULL, *line = NULL;
    env_options own = *given;
    const env_options *o = &own;
    if (own.limit == 0) own.limit = a->limit;
    if (o->name || o->command) return env_open(r, o, env);
    if (!a->env) line = command_beside(from, &file);
    if (line && !env_command_trusted(line, file, o->trust)) exit(USAGE);
    const bool ok = env_open_as(a->env, line, o, env);
    free(line);
    free(file);
    return ok;
}

/* Mean, standard deviation and components of the deterministic policy. */
bool agent_judge(vdi_sacd *agent, vdi_env *env, uint64_t seed, int64_t episodes, double *mean,
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
            if (!interrupted()) (void)fail_error(&err, NULL);
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
    if (!agent_judge(a.agent, &env, r->seed, episodes, &mean, &sd, components, &steps, r))
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
    printf("%s: %s\n  %lld observations, %lld %s, at most %lld steps; reward:", e->name, summary,
           (long long)e->observations, (long long)e->actions, e->discrete ? "choices" : "actions",
           (long long)e->limit);
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
