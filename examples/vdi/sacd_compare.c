/* examples/vdi/sacd_compare.c - vdi sacd compare | export: two agents on the same episodes; an
 * agent's policy for other programs */
#include "sacd.h"

/* ---- compare --------------------------------------------------------------------------------- */

typedef struct compare_options {
    env_options env;
    int64_t episodes;
} compare_options;

/* Two agents, and what each has earned: sums (episodes, components + 1), the last the return. */
typedef struct comparison {
    agent_file agent[2];
    vdi_env env[2];
    int64_t episodes, cols;
    double *sums[2];
} comparison;

static bool compare_play(run *r, comparison *c, int which) {
    vdi_error err = {0};
    const int64_t m = c->cols - 1;
    for (int64_t k = 0; k < c->episodes; k++) {
        double *row = c->sums[which] + k * c->cols;
        if (vdi_sacd_play(c->agent[which].agent, &c->env[which], r->seed + EVALUATION_SEED,
                          (uint64_t)k, row, NULL, &err) < 0) {
            if (!interrupted()) (void)fail_error(&err, r->argument[which]);
            return false;
        }
        row[m] = 0;
        for (int64_t i = 0; i < m; i++)
            row[m] += row[i];
        progress(r, which * c->episodes + k + 1, 2 * c->episodes, "return", row[m]);
    }
    return true;
}

/* Means of both, mean of the differences B - A, and its standard error, of one column. */
static void compare_column(const comparison *c, int64_t col, double *out) {
    const double n = (double)c->episodes;
    double squares = 0;
    out[0] = out[1] = 0;
    for (int which = 0; which < 2; which++) {
        for (int64_t k = 0; k < c->episodes; k++)
            out[which] += c->sums[which][k * c->cols + col] / n;
    }
    out[2] = out[1] - out[0];
    for (int64_t k = 0; k < c->episodes; k++) {
        const int64_t at = k * c->cols + col;
        const double off = c->sums[1][at] - c->sums[0][at] - out[2];
        squares += off * off;
    }
    out[3] = c->episodes > 1 ? sqrt(squares / (n - 1) / n) : NAN;
}

static void compare_print(const run *r, const comparison *c) {
    static const char *const key[4] = {"a", "b", "difference", "standard_error"};
    if (r->json)
        printf("{\"episodes\": %lld", (long long)c->episodes);
    else
        printf("%-24s %12s %12s %12s %12s\n", "", "A", "B", "B - A", "std. error");
    for (int64_t i = 0; i < c->cols; i++) {
        const int64_t col = i ? i - 1 : c->cols - 1; /* the return first */
        const char *name = i ? c->env[0].component[col] : "return";
        double x[4];
        compare_column(c, col, x);
        if (!r->json) {
            printf("%-24s %12.6g %12.6g %12.6g %12.4g\n", name, x[0], x[1], x[2], x[3]);
            continue;
        }
        printf(i == 1 ? ", \"components\": {" : ", ");
        print_json_text(name);
        for (int k = 0; k < 4; k++) {
            if (is_finite(x[k]))
                printf("%s\"%s\": %.10g", k ? ", " : ": {", key[k], x[k]);
            else
                printf("%s\"%s\": null", k ? ", " : ": {", key[k]);
        }
        printf("}");
    }
    if (r->json) printf("}}\n");
}

static int compare_with(run *r, const compare_options *want, comparison *c) {
    for (int k = 0; k < 2; k++) {
        if (!agent_load(r->argument[k], r->pool, &c->agent[k]) ||
            !agent_env_open(r, &want->env, r->argument[k], &c->agent[k], &c->env[k]))
            return FAILED;
    }
    const vdi_env *a = &c->env[0], *b = &c->env[1];
    bool same = a->components == b->components;
    for (int64_t i = 0; same && i < a->components; i++)
        same = strcmp(a->component[i], b->component[i]) == 0;
    if (!same) {
        return fail("%s is paid by other components than %s: expected agents of one environment",
                    r->argument[1], r->argument[0]);
    }
    c->episodes = want->episodes;
    c->cols = a->components + 1;
    for (int k = 0; k < 2; k++)
        c->sums[k] = doubles(c->episodes * c->cols);
    for (int k = 0; k < 2; k++) {
        if (!compare_play(r, c, k)) return interrupted() ? INTERRUPTED : FAILED;
    }
    progress_end(r);
    compare_print(r, c);
    return DONE;
}

static int compare_main(run *r, void *options) {
    comparison c = {0};
    const int code = compare_with(r, (const compare_options *)options, &c);
    for (int k = 0; k < 2; k++) {
        vdi_env_close(&c.env[k]);
        agent_free(&c.agent[k]);
        free(c.sums[k]);
    }
    return code;
}

/* ---- export ---------------------------------------------------------------------------------- */

typedef struct export_options {
    const char *name;
} export_options;

typedef struct named_policy {
    vdi_policy *policy;
    const char *name;
} named_policy;

static vdi_status policy_write(const char *path, const void *what, vdi_error *err) {
    const named_policy *p = (const named_policy *)what;
    return vdi_policy_save_c(path, p->policy, p->name, err);
}

/* policy.safetensors: what acts, out of an agent's file, and its metadata. */
static bool export_tensors(const run *r, const vdi_safetensors *file) {
    const vdi_state *from = &file->state;
    vdi_state none = {0};
    none.meta = from->meta;
    none.meta_count = from->meta_count;
    vdi_state *s = state_copy(&none, from->tensor_count, 0);
    for (int64_t i = 0; i < from->tensor_count; i++) {
        const char *name = from->tensors[i].name;
        if (strncmp(name, "policy.", 7) == 0 || strcmp(name, "observations") == 0)
            state_add(s, name, from->tensors[i].tensor);
    }
    return state_save(r, "policy.safetensors", s);
}

static int export_main(run *r, void *options) {
    const export_options *want = (const export_options *)options;
    vdi_error err = {0};
    agent_file a;
    named_policy p = {NULL, want->name};
    if (!agent_load(r->argument[0], r->pool, &a)) return FAILED;
    int code = FAILED;
    if (vdi_policy_create(&a.file.state, NULL, &p.policy, &err) < 0) {
        (void)fail_error(&err, r->argument[0]);
    } else if (run_open_out(r) && export_tensors(r, &a.file)) {
        char *file = (char *)malloc(strlen(want->name) + 3);
        if (!file) exit(fail("out of memory"));
        snprintf(file, strlen(want->name) + 3, "%s.h", want->name);
        char *path = strchr(file, '/') ? strdup(file) : path_join(r->out, file);
        const bool ok = path && save_atomically(path, policy_write, &p, &err);
        code = ok ? DONE : err.status == VDI_ERR_ARGUMENT ? USAGE : FAILED;
        if (!ok) (void)fail("--name: %s", err.message);
        if (ok) printf("%s\n", path);
        free(file);
        free(path);
    }
    vdi_policy_destroy(p.policy);
    agent_free(&a);
    return code;
}

/* ---- the verbs ------------------------------------------------------------------------------- */

static const option compare_rows[] = {
    ENV_OPTIONS(compare_options),
    OPTION_GROUP("what is played"),
    OPTION("episodes", "N",
           VDI_FIELD_INT(compare_options, episodes, 100, 1, 100000000, "episodes of each")),
};
const command sacd_compare_command = {
    .family = "sacd",
    .verb = "compare",
    .arguments = "A B",
    .least = 2,
    .most = 2,
    .summary = "Play two agents on the same episodes: mean returns and components, and the paired "
               "differences with their standard errors.",
    .example = "vdi sacd compare runs/sac runs/sac-d --episodes 100",
    COMMAND_OPTIONS(compare_rows),
    .size = sizeof(compare_options),
    .main = compare_main,
};

static const option export_rows[] = {
    OPTION_TEXT(export_options, name, "name", "NAME", "policy",
                "what the C header and all its names are called"),
};
const command sacd_export_command = {
    .family = "sacd",
    .verb = "export",
    .arguments = "RUN",
    .least = 1,
    .most = 1,
    .out = true,
    .summary = "Write the policy alone for other programs: NAME.h, C that needs nothing else and "
               "checks itself, and policy.safetensors (docs/guide/sacd.md has the layout).",
    .example = "vdi sacd export run --name pilot --out pilot",
    COMMAND_OPTIONS(export_rows),
    .size = sizeof(export_options),
    .main = export_main,
};
