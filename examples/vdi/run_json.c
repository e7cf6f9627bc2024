/* examples/vdi/run_json.c - run.json: what a run was asked for, so that it can be repeated */
#include "tool.h"

/* ---- writing --------------------------------------------------------------------------------- */

/* Of these a file has none: where it is read from, and what its reader has to say himself. */
static bool left_out(const char *name) {
    return strcmp(name, "from") == 0 || strcmp(name, "resume") == 0 || strcmp(name, "trust") == 0;
}

/* Was it given, or has it come to a value? A library's zero stands for a default that depends. */
static bool has_value(const run *r, int i, const vdi_field *field, const char *base) {
    const option *o = option_at(r->command, i);
    char text[400];
    if (r->given[i] >= IN_FILE) return true;
    if (field->twin != VDI_FIELD_NONE && base[field->twin]) return true;
    (void)vdi_field_text(field, base, text, sizeof text);
    if (strcmp(text, "0") != 0 && strcmp(text, "none") != 0) return true;
    if (o->table || field->type == VDI_FIELD_TYPE_BOOL || field->twin != VDI_FIELD_NONE)
        return false;
    if (o->initial) return strcmp(o->initial, "auto") != 0;
    return !(field->flags & VDI_FIELD_REQUIRED);
}

static void put_value(vdi_json_writer *j, const char *name, const vdi_field *field,
                      const char *base) {
    char text[400];
    const size_t length = vdi_field_text(field, base, text, sizeof text);
    int64_t whole = 0;
    double real = 0;
    switch (field->type) {
    case VDI_FIELD_TYPE_BOOL: vdi_json_put_bool(j, name, text[0] == '1'); return;
    case VDI_FIELD_TYPE_REAL:
        (void)vdi_text_parse_double(text, length, &real);
        if (real - real != 0) break; /* JSON has no infinity */
        vdi_json_put_number(j, name, real);
        return;
    case VDI_FIELD_TYPE_INT:
    case VDI_FIELD_TYPE_INT32:
    case VDI_FIELD_TYPE_SEED:
        if (vdi_text_parse_int(text, length, &whole) != length) break;
        vdi_json_put_integer(j, name, whole);
        return;
    default: break;
    }
    vdi_json_put_text(j, name, text);
}

static vdi_status run_json_write(const char *path, const void *what, vdi_error *err) {
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
    for (int i = 0; i < option_count(r->command); i++) {
        const char *name = option_at(r->command, i)->name, *text;
        vdi_field field;
        char *base;
        if (!name || left_out(name)) continue;
        if (option_bound(r, i, &field, &base)) {
            if (has_value(r, i, &field, base)) put_value(&j, name, &field, base);
            continue;
        }
        memcpy(&text, base, sizeof text);
        if (text) vdi_json_put_text(&j, name, text);
    }
    vdi_json_close(&j);
    vdi_json_close(&j);
    status = vdi_json_end(&j, err);
    const vdi_status closed = vdi_writer_close(&w, status < 0 ? NULL : err);
    return status < 0 ? status : closed;
}

bool run_json_save(const run *r) {
    vdi_error err = {0};
    char *path = path_join(r->out, "run.json");
    const bool ok = save_atomically(path, run_json_write, r, &err);
    if (!ok) (void)fail_error(&err, path);
    free(path);
    return ok;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A value as text; false for what is none. */
static bool value_text(const vdi_json *v, char *text, size_t size) {
    char number[VDI_TEXT_NUMBER];
    const char *string = vdi_json_as_text(v, NULL);
    const bool truth = vdi_json_as_bool(v, false);
    if (string) {
        snprintf(text, size, "%s", string);
        return strlen(string) < size;
    }
    if (v->type == VDI_JSON_BOOL) {
        snprintf(text, size, "%s", truth ? "1" : "0");
        return true;
    }
    if (v->type != VDI_JSON_NUMBER) return false;
    if (v->is_integer) {
        snprintf(text, size, "%lld", (long long)v->v.integer);
    } else {
        (void)vdi_text_double(number, v->u.number, 0);
        snprintf(text, size, "%s", number);
    }
    return true;
}

static bool options_take(run *r, const vdi_json *options, const char *path) {
    static char text[65536];
    for (const vdi_json *v = vdi_json_first(options); v; v = vdi_json_next(options, v)) {
        const int i = option_find(r->command, v->key);
        if (i < 0) {
            (void)usage("there is no option '%s' of 'vdi %s', in %s", v->key,
                        command_name(r->command), path);
            return false;
        }
        if (r->given[i] != NOT_GIVEN || left_out(v->key)) continue;
        if (!value_text(v, text, sizeof text)) {
            (void)usage("--%s: expected a number, a text, true or false, in %s", v->key, path);
            return false;
        }
        const char *initial = option_at(r->command, i)->initial;
        if (initial && strcmp(initial, "auto") == 0 && strcmp(text, "auto") == 0) continue;
        if (!option_set(r, i, text)) return false;
        r->given[i] = IN_FILE;
    }
    return true;
}

bool run_json_take(run *r, const char *path, const command *const *commands, int count) {
    vdi_error err = {0};
    vdi_arena arena;
    const vdi_json *root;
    vdi_arena_init(&arena, NULL, 0);
    if (vdi_json_load(path, &arena, &root, &err) < 0) {
        vdi_arena_free(&arena);
        (void)fail_error(&err, path);
        return false;
    }
    const char *family = vdi_json_as_text(vdi_json_get(root, "family"), NULL);
    const char *verb = vdi_json_as_text(vdi_json_get(root, "verb"), "");
    const vdi_json *options = vdi_json_get(root, "options");
    const vdi_json *arguments = vdi_json_get(root, "arguments");
    const bool find = !r->command;
    bool ok = family && options && arguments;
    for (int i = 0; ok && find && i < count; i++) {
        if (strcmp(commands[i]->family, family) == 0 && strcmp(commands[i]->verb, verb) == 0)
            r->command = commands[i];
    }
    ok = ok && r->command && strcmp(r->command->family, family) == 0 &&
         strcmp(r->command->verb, verb) == 0;
    if (!ok) {
        (void)fail("expected the run.json of a 'vdi %s', got something else, in %s",
                   r->command ? command_name(r->command) : "<family> <verb>", path);
    }
    if (ok && !find) {
        const bool none = r->arguments == 0;
        for (const vdi_json *v = vdi_json_first(arguments);
             none && v && r->arguments < r->command->most; v = vdi_json_next(arguments, v)) {
            char *copy = strdup(vdi_json_as_text(v, ""));
            if (!copy) exit(fail("out of memory"));
            r->argument[r->arguments++] = copy;
        }
        ok = options_take(r, options, path);
    }
    vdi_arena_free(&arena);
    return ok;
}
