/* examples/vdi/options.c - the command line into the struct of a verb, through the rows that bind
 * its members */
#include <ctype.h>

#include "tool.h"

/* These are bound to the run itself. */
static const option common[] = {
    OPTION_TEXT(run, out, "out", "PATH", NULL, "folder for what is written (created)"),
    {.name = "seed",
     .value = "N",
     .initial = "1",
     .own = VDI_FIELD_SEED(run, seed, "seed of everything random")},
    {.name = "threads",
     .value = "N",
     .initial = "1",
     .own =
         VDI_FIELD_INT32(run, threads, 1, 0, 1024, "threads; 0: as many as there are processors")},
    OPTION_TEXT(run, simd, "simd", "PATH", "auto", "scalar, sse2, avx2, avx512, neon or auto"),
    OPTION("quiet", NULL, VDI_FIELD_BOOL(run, quiet, "no progress")),
    OPTION("json", NULL, VDI_FIELD_BOOL(run, json, "results as one JSON object on the last line")),
    OPTION_TEXT(run, from, "from", "RUN.JSON", NULL,
                "repeat the run that this file describes; options given here win"),
};
enum { COMMON = (int)(sizeof common / sizeof *common) };

const option *option_at(const command *c, int i) {
    return i < COMMON ? &common[i] : &c->options[i - COMMON];
}

int option_count(const command *c) { return COMMON + c->option_count; }

int option_find(const command *c, const char *name) {
    for (int i = 0; i < option_count(c); i++) {
        const option *o = option_at(c, i);
        if (!o->name) continue;
        if (strcmp(o->name, name) == 0 || (o->also && strcmp(o->also, name) == 0)) return i;
    }
    return -1;
}

int option_given(const run *r, const char *name) {
    const int i = option_find(r->command, name);
    return i < 0 ? NOT_GIVEN : (int)r->given[i];
}

const char *command_name(const command *c) {
    static char text[64];
    snprintf(text, sizeof text, "%s%s%s", c->family, *c->verb ? " " : "", c->verb);
    return text;
}

const char *option_dashes(const option *o) {
    static char text[64];
    snprintf(text, sizeof text, "--%s", o->name);
    return text;
}

bool option_bound(const run *r, int i, vdi_field *field, char **base) {
    const option *o = option_at(r->command, i);
    char *own;
    memcpy(&own, &r, sizeof own); /* the run is const where it is only read */
    if (i >= COMMON) own = (char *)r->options;
    *base = own + o->offset;
    if (o->table) {
        *field = *vdi_fields_find(o->table(), o->member);
    } else if (o->own.name) {
        *field = o->own;
        *base = own;
    } else {
        return false;
    }
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static char *copy_text(const char *s) {
    char *c = strdup(s);
    if (!c) exit(fail("out of memory"));
    return c;
}

bool option_set(run *r, int i, const char *text) {
    const option *o = option_at(r->command, i);
    vdi_field field;
    char *base;
    if (!option_bound(r, i, &field, &base)) {
        const char *copy = copy_text(text);
        memcpy(base, &copy, sizeof copy);
        return true;
    }
    const char *value = text;
    if (field.type == VDI_FIELD_TYPE_BOOL) {
        if (strcmp(text, "yes") == 0 || strcmp(text, "true") == 0) value = "1";
        if (strcmp(text, "no") == 0 || strcmp(text, "false") == 0) value = "0";
    }
    const vdi_fields alone = {o->name, &field, 1};
    if (vdi_fields_set(&alone, base, field.name, value, NULL) >= 0) return true;
    if (field.type == VDI_FIELD_TYPE_ENUM) { /* wake-sleep is a word of the library's, wake_sleep */
        char word[64];
        snprintf(word, sizeof word, "%s", text);
        for (char *c = word; *c; c++)
            if (*c == '-') *c = '_';
        if (vdi_fields_set(&alone, base, field.name, word, NULL) >= 0) return true;
    }
    char range[400];
    double number;
    option_range(o, &field, range, sizeof range);
    const size_t length = strlen(text);
    const bool bare = length > 0 && vdi_text_parse_double(text, length, &number) == length;
    (void)usage("%s: expected %s, got %s%s%s", option_dashes(o), range, bare ? "" : "'", text,
                bare ? "" : "'");
    return false;
}

/* The bool beside a field, or NULL. */
static bool *twin_of(const vdi_field *field, char *base) {
    return field->twin == VDI_FIELD_NONE ? NULL : (bool *)(base + field->twin);
}

/* What was not given: the tool's own default, or that of a field of its own. Those of the library
 * stay zero, which it takes for the default. The twin of a field says that it was given. */
static void option_default(run *r, int i) {
    const option *o = option_at(r->command, i);
    vdi_field field;
    char *base;
    const bool is_auto = o->initial && strcmp(o->initial, "auto") == 0;
    if (!option_bound(r, i, &field, &base)) {
        if (o->initial) (void)option_set(r, i, o->initial);
        return;
    }
    if (is_auto) return;
    if (o->initial) {
        (void)option_set(r, i, o->initial);
    } else if (!o->table) {
        const vdi_fields alone = {o->name, &field, 1};
        vdi_fields_fill(&alone, base);
    }
    bool *twin = twin_of(&field, base);
    if (twin && !o->table) *twin = false;
}

static int option_take(run *r, int i, const char *text) {
    const option *o = option_at(r->command, i);
    r->given[i] = AS_AUTO;
    if (o->initial && strcmp(o->initial, "auto") == 0 && strcmp(text, "auto") == 0) return -1;
    r->given[i] = ON_LINE;
    return option_set(r, i, text) ? -1 : USAGE;
}

void options_overlay(const run *r, const vdi_fields *(*table)(void), const void *from, void *to) {
    for (int i = COMMON; i < option_count(r->command); i++) {
        const option *o = option_at(r->command, i);
        char text[400];
        if (!o->name || o->table != table || r->given[i] < IN_FILE) continue;
        const vdi_field *field = vdi_fields_find(table(), o->member);
        (void)vdi_field_text(field, from, text, sizeof text);
        (void)vdi_fields_set(table(), to, o->member, text, NULL);
    }
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* The option that a word names, and the value that stands in the same word (NULL: none): --name,
 * --name=value, -d, -d=2 or -d2. Less than 0: there is none. */
static int word_option(const command *c, const char *word, const char **value) {
    const bool two = word[1] == '-';
    const char *name = word + (two ? 2 : 1), *equals = strchr(name, '=');
    char key[48];
    *value = equals ? equals + 1 : NULL;
    if (two) {
        snprintf(key, sizeof key, "%.*s", equals ? (int)(equals - name) : (int)strlen(name), name);
        return option_find(c, key);
    }
    key[0] = name[0];
    key[1] = 0;
    if (name[0] && name[1]) *value = name + (name[1] == '=' ? 2 : 1);
    return option_find(c, key);
}

static bool is_argument(const char *word) {
    return word[0] != '-' || !word[1] || isdigit((unsigned char)word[1]);
}

static int take_words(run *r, int argc, char **argv, int at) {
    bool options = true;
    for (; at < argc; at++) {
        const char *word = argv[at], *value;
        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        if (!options || is_argument(word)) {
            if (r->arguments >= r->command->most) {
                return usage("'%s' is one argument too many; expected %s", word,
                             *r->command->arguments ? r->command->arguments : "none");
            }
            r->argument[r->arguments++] = word;
            continue;
        }
        const int i = word_option(r->command, word, &value);
        if (i < 0) {
            return usage("'%s' is no option of 'vdi %s'; see --help", word,
                         command_name(r->command));
        }
        const option *o = option_at(r->command, i);
        if (!o->value) {
            if (value) return usage("--%s takes no value", o->name);
            value = "1";
        }
        if (!value && at + 1 < argc) value = argv[++at];
        if (!value) return usage("--%s needs a value", o->name);
        const int code = option_take(r, i, value);
        if (code >= 0) return code;
    }
    return -1;
}

/* The command that argv names: sets r->command and *at, or returns an exit code. */
static int find_command(run *r, const command *const *commands, int count, int argc, char **argv,
                        int *at) {
    const char *family = argv[1];
    const char *verb = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
    bool known = false;
    for (int i = 0; i < count; i++) {
        if (strcmp(commands[i]->family, family) != 0) continue;
        known = true;
        if (!*commands[i]->verb) {
            r->command = commands[i];
        } else if (verb && strcmp(commands[i]->verb, verb) == 0) {
            r->command = commands[i];
            *at = 3;
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
    return -1;
}

static int simd_choose(const char *name) {
    for (int s = 0; s < VDI_SIMD_COUNT; s++) {
        if (strcmp(name, vdi_simd_name((vdi_simd)s)) != 0) continue;
        if (vdi_simd_set((vdi_simd)s) >= 0) return -1;
        return usage("--simd %s: this processor or build does not have it", name);
    }
    return usage("--simd: expected scalar, sse2, avx2, avx512, neon or auto, got '%s'", name);
}

/* All that is not on the command line: from files, then defaults. */
static int take_rest(run *r) {
    const int resume = option_find(r->command, "resume");
    vdi_field field;
    char *base;
    if (r->from && !run_json_take(r, r->from, NULL, 0)) return FAILED;
    if (resume >= 0) {
        (void)option_bound(r, resume, &field, &base);
        memcpy(&r->resume, base, sizeof r->resume);
    }
    if (r->resume) { /* it takes all from its own folder, and goes on there */
        char *path = path_join(r->resume, "run.json");
        const bool ok = run_json_take(r, path, NULL, 0);
        free(path);
        if (!ok) return FAILED;
        r->out = r->resume;
    }
    for (int i = 0; i < option_count(r->command); i++) {
        if (option_at(r->command, i)->name && r->given[i] < IN_FILE) option_default(r, i);
    }
    return -1;
}

int run_parse(run *r, const command *const *commands, int count, int argc, char **argv) {
    const char *first = argc > 1 ? argv[1] : NULL;
    int at = 2, code = -1;
    if (!first) {
        run_help(stderr, commands, count, NULL, NULL);
        return USAGE;
    }
    if (strcmp(first, "--version") == 0) {
        printf("vdi %s\n", VDI_VERSION);
        return DONE;
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0)
        return run_help(stdout, commands, count, NULL, NULL);
    if (strcmp(first, "man") == 0) return run_manual(stdout, commands, count);
    if (strcmp(first, "completion") == 0)
        return run_completion(stdout, commands, count, argc > 2 ? argv[2] : "");
    if (strcmp(first, "--from") == 0) { /* the command is in the file */
        if (argc < 3) return usage("--from needs a file");
        if (!run_json_take(r, argv[2], commands, count)) return FAILED;
        at = 1;
    } else if ((code = find_command(r, commands, count, argc, argv, &at)) >= 0) {
        return code;
    }
    r->options = calloc(1, r->command->size ? r->command->size : 1);
    if (!r->options) return fail("out of memory");
    if ((code = take_words(r, argc, argv, at)) >= 0) return code;
    if ((code = take_rest(r)) >= 0) return code;
    if (r->arguments < r->command->least) {
        return usage("expected %s; see vdi %s --help", r->command->arguments,
                     command_name(r->command));
    }
    if (r->out && !*r->out) return usage("--out: expected a path, got ''");
    if (r->command->out && !r->out) return usage("expected --out FOLDER for the results");
    return simd_choose(r->simd);
}

/* ---- shares of a job ------------------------------------------------------------------------- */

bool shard_parse(const char *text, int64_t *i, int64_t *n) {
    const size_t length = strcspn(text, "/");
    if (length == 0 || text[length] != '/') return false;
    const char *rest = text + length + 1;
    return vdi_text_parse_int(text, length, i) == length &&
           vdi_text_parse_int(rest, strlen(rest), n) == strlen(rest) && *n >= 1 && *n <= 1000000 &&
           *i >= 1 && *i <= *n;
}

bool shard_read(const char *text, int64_t *i, int64_t *n) {
    *i = *n = 1;
    if (!text || shard_parse(text, i, n)) return true;
    (void)usage("--shard: expected I/N with I from 1 to N, got '%s'", text);
    return false;
}
