/* examples/vdi/options.c - the command line: parsing, help, and run.json from one table */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>

#include "tool.h"

static const option common[] = {
    {"out", TEXT, "PATH", NULL, "folder for what is written (created)"},
    {"seed", INTEGER, "N", "1", "seed of everything random"},
    {"threads", INTEGER, "N", "1", "threads; 0 = as many as there are processors"},
    {"simd", TEXT, "PATH", "auto", "scalar, sse2, avx2, avx512, neon or auto"},
    {"quiet", FLAG, NULL, NULL, "no progress"},
    {"json", FLAG, NULL, NULL, "results as one JSON object on the last line"},
    {"from", TEXT, "RUN.JSON", NULL,
     "repeat the run that this file describes; options given here win"},
};
enum { COMMON = (int)(sizeof common / sizeof *common) };

static const option *option_at(const command *c, int i) {
    return i < COMMON ? &common[i] : &c->options[i - COMMON];
}
static int option_total(const command *c) { return COMMON + c->option_count; }

static int option_find(const command *c, const char *name) {
    for (int i = 0; i < option_total(c); i++)
        if (strcmp(option_at(c, i)->name, name) == 0) return i;
    return -1;
}

static int option_known(const run *r, const char *name) {
    int i = option_find(r->command, name);
    if (i < 0) {
        fprintf(stderr, "vdi: error: internal: %s %s has no option --%s\n", r->command->family,
                r->command->verb, name);
        exit(FAILED);
    }
    return i;
}

bool option_given(const run *r, const char *name) { return r->given[option_known(r, name)]; }
bool option_from_file(const run *r, const char *name) {
    return r->from_file[option_known(r, name)];
}
const char *option_text(const run *r, const char *name) { return r->value[option_known(r, name)]; }
bool option_flag(const run *r, const char *name) {
    const char *v = option_text(r, name);
    return v && strcmp(v, "true") == 0;
}
/* values were checked when they were taken */
int64_t option_int(const run *r, const char *name) {
    const char *v = option_text(r, name);
    return v ? strtoll(v, NULL, 10) : 0;
}
double option_real(const run *r, const char *name) {
    const char *v = option_text(r, name);
    double x = 0;
    if (v) (void)vdi_text_parse_double(v, strlen(v), &x);
    return x;
}

static char *copy_text(const char *s) {
    char *c = (char *)malloc(strlen(s) + 1);
    if (!c) exit(fail("out of memory"));
    return strcpy(c, s);
}

void option_resolve(run *r, const char *name, const char *format, ...) {
    char text[256];
    va_list args;
    int i = option_known(r, name);
    if (r->value[i] && strcmp(r->value[i], "auto") != 0) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->value[i] = copy_text(text);
}

/* Is `text` a value of this kind? Says what is wrong. */
static bool value_ok(const option *o, const char *text) {
    int64_t n;
    double x;
    size_t length = strlen(text);
    if (o->kind == INTEGER && (length == 0 || vdi_text_parse_int(text, length, &n) != length)) {
        usage("--%s: expected a whole number, got '%s'", o->name, text);
        return false;
    }
    if (o->kind == REAL && (length == 0 || vdi_text_parse_double(text, length, &x) != length)) {
        usage("--%s: expected a number, got '%s'", o->name, text);
        return false;
    }
    return true;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void help_options(FILE *to, const option *options, int count) {
    for (int i = 0; i < count; i++) {
        char left[48];
        const char *dash = options[i].name[1] ? "--" : "-"; /* a one-letter option has one dash */
        snprintf(left, sizeof left, "%s%s%s%s", dash, options[i].name, options[i].value ? " " : "",
                 options[i].value ? options[i].value : "");
        fprintf(to, "  %-24s %s", left, options[i].meaning);
        if (options[i].initial) fprintf(to, " (default %s)", options[i].initial);
        fputc('\n', to);
    }
}

static void help_command(FILE *to, const command *c) {
    fprintf(to, "usage: vdi %s%s%s%s%s [options]\n\n%s\n\n", c->family, *c->verb ? " " : "",
            c->verb, *c->arguments ? " " : "", c->arguments, c->summary);
    if (c->option_count) {
        fputs("options:\n", to);
        help_options(to, c->options, c->option_count);
        fputc('\n', to);
    }
    fputs("common options:\n", to);
    help_options(to, common, COMMON);
    fprintf(to, "\nexample:\n  %s\n", c->example);
}

static const char *first_sentence(const char *text) {
    static char line[96];
    size_t n = strcspn(text, ".:\n");
    snprintf(line, sizeof line, "%.*s", (int)n, text);
    return line;
}

int run_help(FILE *to, const command *const *commands, int count, const char *family,
             const char *verb) {
    for (int i = 0; family && i < count; i++) {
        if (strcmp(commands[i]->family, family) == 0 &&
            strcmp(commands[i]->verb, verb ? verb : "") == 0) {
            help_command(to, commands[i]);
            return DONE;
        }
    }
    fprintf(to,
            "vdi %s: value decomposition and variational inference\n\nusage: vdi <family> <verb> "
            "[arguments] [options]\n\n",
            VDI_VERSION);
    for (int i = 0; i < count; i++) {
        char left[32];
        if (family && strcmp(commands[i]->family, family) != 0) continue;
        snprintf(left, sizeof left, "%s %s", commands[i]->family, commands[i]->verb);
        fprintf(to, "  %-16s %s\n", left, first_sentence(commands[i]->summary));
    }
    fputs(
        "\nvdi <family> <verb> --help tells more, with an example. Arrays are .npy, one member of "
        "an .npz (file.npz:name) or .csv;\n"
        "NaN is a missing value. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n",
        to);
    return DONE;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* Arguments and options that a run.json holds, where the command line has not given them. */
static bool take_from(run *r, const char *path, const command *const *commands, int count) {
    vdi_error err = {0};
    vdi_arena arena;
    const vdi_json *root;
    vdi_arena_init(&arena, NULL, 0);
    if (vdi_json_load(path, &arena, &root, &err) < 0) {
        vdi_arena_free(&arena);
        fail_error(&err, path);
        return false;
    }
    const char *family = vdi_json_as_text(vdi_json_get(root, "family"), NULL);
    const char *verb = vdi_json_as_text(vdi_json_get(root, "verb"), "");
    const vdi_json *options = vdi_json_get(root, "options");
    const vdi_json *arguments = vdi_json_get(root, "arguments");
    bool ok = family && options && arguments;
    for (int i = 0; ok && !r->command && i < count; i++) {
        if (strcmp(commands[i]->family, family) == 0 && strcmp(commands[i]->verb, verb) == 0)
            r->command = commands[i];
    }
    ok = ok && r->command && strcmp(r->command->family, family) == 0 &&
         strcmp(r->command->verb, verb) == 0;
    if (ok && r->arguments == 0) {
        for (const vdi_json *v = vdi_json_first(arguments); v && r->arguments < r->command->most;
             v = vdi_json_next(arguments, v))
            r->argument[r->arguments++] = copy_text(vdi_json_as_text(v, ""));
    }
    for (const vdi_json *v = ok ? vdi_json_first(options) : NULL; v;
         v = vdi_json_next(options, v)) {
        int i = option_find(r->command, v->key);
        const char *text = vdi_json_as_text(v, NULL);
        if (i < 0 || r->given[i] || !text || !value_ok(option_at(r->command, i), text)) continue;
        r->value[i] = copy_text(text);
        r->given[i] = r->from_file[i] = true;
    }
    vdi_arena_free(&arena);
    if (!ok) {
        (void)fail("expected the run.json of a 'vdi %s %s', got something else, in %s",
                   r->command ? r->command->family : "<family>",
                   r->command ? r->command->verb : "<verb>", path);
    }
    return ok;
}

static bool run_resume(run *r, const char *folder) {
    /* arguments and options from folder/run.json; those given now win */
    char *path = path_join(folder, "run.json");
    bool ok = take_from(r, path, NULL, 0);
    free(path);
    return ok;
}

static int take_options(run *r, int argc, char **argv, int at) {
    for (; at < argc; at++) {
        const char *word = argv[at];
        if (word[0] != '-' || !word[1] || (isdigit((unsigned char)word[1]) && strlen(word) > 1)) {
            if (r->arguments >= r->command->most) {
                return usage("'%s' is one argument too many; expected %s", word,
                             *r->command->arguments ? r->command->arguments : "none");
            }
            r->argument[r->arguments++] = word;
            continue;
        }
        const char *name = word + (word[1] == '-' ? 2 : 1), *equals = strchr(name, '=');
        char key[48];
        snprintf(key, sizeof key, "%.*s", equals ? (int)(equals - name) : (int)strlen(name), name);
        int i = option_find(r->command, key);
        if (i < 0 || (word[1] != '-' && key[1]) || (word[1] == '-' && !key[1])) {
            return usage("'%s' is no option of 'vdi %s %s'; see --help", word, r->command->family,
                         r->command->verb);
        }
        const option *o = option_at(r->command, i);
        if (o->kind == FLAG) {
            if (equals) return usage("--%s takes no value", o->name);
            r->value[i] = "true";
        } else {
            const char *v = equals ? equals + 1 : at + 1 < argc ? argv[++at] : NULL;
            if (!v) return usage("--%s needs a value", o->name);
            if (!value_ok(o, v)) return USAGE;
            r->value[i] = v;
        }
        r->given[i] = true;
    }
    return -1;
}

int run_parse(run *r, const command *const *commands, int count, int argc, char **argv) {
    const char *family = argc > 1 ? argv[1] : NULL;
    const char *verb = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
    if (!family) {
        run_help(stderr, commands, count, NULL, NULL);
        return USAGE;
    }
    if (strcmp(family, "--version") == 0) {
        printf("vdi %s\n", VDI_VERSION);
        return DONE;
    }
    if (strcmp(family, "--help") == 0 || strcmp(family, "-h") == 0 || strcmp(family, "help") == 0)
        return run_help(stdout, commands, count, NULL, NULL);
    int at = 2;
    bool known = false;
    if (strcmp(family, "--from") != 0) {
        for (int i = 0; i < count; i++) {
            if (strcmp(commands[i]->family, family) != 0) continue;
            known = true;
            if (!*commands[i]->verb) {
                r->command = commands[i];
            } else if (verb && strcmp(commands[i]->verb, verb) == 0) {
                r->command = commands[i];
                at = 3;
            }
        }
        for (int i = 2; i < argc; i++) {
            if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
                return run_help(stdout, commands, count, known ? family : NULL,
                                r->command ? r->command->verb : NULL);
            }
        }
        if (!known) return usage("there is no family '%s'; see vdi --help", family);
        if (!r->command && !verb)
            return usage("expected a verb after '%s'; see vdi %s --help", family, family);
        if (!r->command)
            return usage("'%s' is no verb of '%s'; see vdi %s --help", verb, family, family);
    } else { /* vdi --from run.json: the command is in the file */
        if (argc < 3) return usage("--from needs a file");
        if (!take_from(r, argv[2], commands, count)) return FAILED;
        memset(r->given, 0, sizeof r->given);
        r->arguments = 0;
        at = 1;
    }
    memset(r->value, 0, sizeof r->value);
    int code = take_options(r, argc, argv, at);
    if (code >= 0) return code;
    const char *from = r->value[option_known(r, "from")];
    if (from && !take_from(r, from, commands, count)) return FAILED;
    /* a resumed run takes its arguments from its own folder */
    int resume = option_find(r->command, "resume");
    if (resume >= 0 && r->value[resume]) {
        if (!run_resume(r, r->value[resume])) return FAILED;
        r->value[option_known(r, "out")] = r->value[resume];
    }
    for (int i = 0; i < option_total(r->command); i++)
        if (!r->value[i]) r->value[i] = option_at(r->command, i)->initial;
    if (r->arguments < r->command->least) {
        return usage("expected %s; see vdi %s %s --help", r->command->arguments, r->command->family,
                     r->command->verb);
    }
    r->quiet = option_flag(r, "quiet");
    r->json = option_flag(r, "json");
    if (option_int(r, "threads") < 0 || option_int(r, "threads") > 1024)
        return usage("--threads: expected 0 to 1024, got %s", option_text(r, "threads"));
    if (option_int(r, "seed") < 0)
        return usage("--seed: expected 0 or more, got %s", option_text(r, "seed"));
    const char *simd = option_text(r, "simd");
    for (int s = 0; s < VDI_SIMD_COUNT; s++) {
        if (strcmp(simd, vdi_simd_name((vdi_simd)s)) == 0) {
            if (vdi_simd_set((vdi_simd)s) < 0)
                return usage("--simd %s: this processor or build does not have it", simd);
            return -1;
        }
    }
    return usage("--simd: expected scalar, sse2, avx2, avx512, neon or auto, got '%s'", simd);
}

/* run.json: everything that decides the result */
static vdi_status write_run(const char *path, const void *what, vdi_error *err) {
    const run *r = (const run *)what;
    vdi_writer w;
    vdi_status status = vdi_writer_open(&w, path, err);
    if (status < 0) return status;
    vdi_json_writer j;
    vdi_json_begin(&j, &w, true);
    vdi_json_open(&j, NULL, '{');
    vdi_json_put_text(&j, "version", VDI_VERSION);
    vdi_json_put_text(&j, "family", r->command->family);
    vdi_json_put_text(&j, "verb", r->command->verb);
    vdi_json_open(&j, "arguments", '[');
    for (int i = 0; i < r->arguments; i++)
        vdi_json_put_text(&j, NULL, r->argument[i]);
    vdi_json_close(&j);
    vdi_json_open(&j, "options", '{');
    for (int i = 0; i < option_total(r->command); i++) {
        const char *name = option_at(r->command, i)->name;
        if (r->value[i] && strcmp(name, "from") != 0 && strcmp(name, "resume") != 0 &&
            strcmp(name, "trust") != 0)
            vdi_json_put_text(&j, name, r->value[i]);
    }
    vdi_json_close(&j);
    vdi_json_close(&j);
    status = vdi_json_end(&j, err);
    vdi_status closed = vdi_writer_close(&w, status < 0 ? NULL : err);
    return status < 0 ? status : closed;
}

bool save_run_json(const run *r) {
    vdi_error err = {0};
    char *path = path_join(r->out, "run.json");
    bool ok = save_atomically(path, write_run, r, &err);
    if (!ok) (void)fail_error(&err, path);
    free(path);
    return ok;
}
