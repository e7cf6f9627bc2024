/* examples/vdi/merge.c - vdi merge: the parts of an array job as one run
 *
 * Each part is the folder of a run with --shard i/n. They have to be all of them, of the same run
 * but for that, and finished. Arrays are joined along their first axis, tables line by line; both
 * are copied in pieces, so that no file has to fit into memory. A cross-validation has its own way
 * (cv.c).
 */
#include "tool.h"

enum { PARTS = 256, FILES = 64, PIECE = 1 << 16 };

typedef struct part {
    const char *folder;
    int64_t index, count; /* of --shard */
    const vdi_json *json; /* its run.json */
} part;

/* ---- which parts there are ------------------------------------------------------------------- */

static bool part_open(part *p, const char *folder, vdi_arena *arena) {
    vdi_error err = {0};
    char *path = path_join(folder, "run.json");
    p->folder = folder;
    if (vdi_json_load(path, arena, &p->json, &err) < 0) {
        (void)fail_error(&err, path);
        free(path);
        return false;
    }
    const vdi_json *options = vdi_json_get(p->json, "options");
    const char *shard = vdi_json_as_text(vdi_json_get(options, "shard"), NULL);
    const bool ok = shard && shard_parse(shard, &p->index, &p->count);
    if (!ok) (void)fail("expected a run with --shard I/N, got none, in %s", path);
    free(path);
    return ok;
}

/* Do two values of run.json say the same? */
static bool same_value(const vdi_json *a, const vdi_json *b) {
    const char *s = vdi_json_as_text(a, NULL), *t = vdi_json_as_text(b, NULL);
    if ((s == NULL) != (t == NULL) || (s && strcmp(s, t) != 0)) return false;
    return s || (vdi_json_as_number(a, 0) == vdi_json_as_number(b, 0) &&
                 vdi_json_as_bool(a, false) == vdi_json_as_bool(b, false));
}

/* What may differ between the parts of one job. */
static bool may_differ(const char *key) {
    static const char *const keys[] = {"out",   "shard", "threads", "simd",
                                       "quiet", "json",  "report"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

/* The name of what two runs were asked differently, or NULL. */
static const char *difference(const vdi_json *a, const vdi_json *b) {
    static const char *const head[] = {"version", "family", "verb"};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        if (!same_value(vdi_json_get(a, head[i]), vdi_json_get(b, head[i]))) return head[i];
    const vdi_json *x = vdi_json_get(a, "arguments"), *y = vdi_json_get(b, "arguments");
    for (int64_t i = 0; vdi_json_at(x, i) || vdi_json_at(y, i); i++)
        if (!same_value(vdi_json_at(x, i), vdi_json_at(y, i))) return "arguments";
    x = vdi_json_get(a, "options");
    y = vdi_json_get(b, "options");
    for (const vdi_json *v = vdi_json_first(x); v; v = vdi_json_next(x, v))
        if (!may_differ(v->key) && !same_value(v, vdi_json_get(y, v->key))) return v->key;
    for (const vdi_json *v = vdi_json_first(y); v; v = vdi_json_next(y, v))
        if (!may_differ(v->key) && !vdi_json_get(x, v->key)) return v->key;
    return NULL;
}

/* In the order of --shard, each once. */
static int parts_sort(const run *r, part *parts, vdi_arena *arena) {
    part found;
    memset(parts, 0, PARTS * sizeof *parts);
    for (int i = 0; i < r->arguments; i++) {
        if (!part_open(&found, r->argument[i], arena)) return FAILED;
        if (found.count != r->arguments) {
            return fail("expected %lld parts, got %d: %s is part %lld of %lld",
                        (long long)found.count, r->arguments, found.folder, (long long)found.index,
                        (long long)found.count);
        }
        part *place = &parts[found.index - 1];
        if (place->folder) {
            return fail("%s and %s are both part %lld", place->folder, found.folder,
                        (long long)found.index);
        }
        *place = found;
    }
    for (int i = 1; i < r->arguments; i++) {
        const char *what = difference(parts[0].json, parts[i].json);
        if (what) {
            return fail("%s and %s are of different runs: %s differs", parts[0].folder,
                        parts[i].folder, what);
        }
    }
    return DONE;
}

/* ---- their files ----------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The arrays and tables of a folder, by name; how many, or -1. */
static int files_list(const char *folder, char names[FILES][256]) {
    folder_reader *d = folder_open(folder);
    const char *file;
    int n = 0;
    if (!d) return -1;
    while ((file = folder_next(d)) != NULL && n < FILES) {
        if (!ends_with(file, ".npy") && !ends_with(file, ".csv")) continue;
        snprintf(names[n++], 256, "%s", file);
    }
    folder_close(d);
    for (int i = 1; i < n; i++) {
        for (int j = i; j > 0 && strcmp(names[j - 1], names[j]) > 0; j--) {
            char other[256];
            memcpy(other, names[j], sizeof other);
            memcpy(names[j], names[j - 1], sizeof other);
            memcpy(names[j - 1], other, sizeof other);
        }
    }
    return n;
}

/* The rest of a file behind what was read. */
static bool copy_rest(FILE *from, FILE *to) {
    static char piece[PIECE];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, from)) > 0)
        if (fwrite(piece, 1, n, to) != n) return false;
    return !ferror(from);
}

static int64_t read_file(void *buffer, size_t size, void *user) {
    FILE *f = (FILE *)user;
    const size_t n = fread(buffer, 1, size, f);
    return ferror(f) ? -1 : (int64_t)n;
}

static bool write_file(const void *data, size_t size, void *user) {
    return fwrite(data, 1, size, (FILE *)user) == size;
}

/* The header of a part's array; its file then stands at the first element. */
static bool array_head(FILE *f, const char *path, vdi_npy_header *h) {
    vdi_error err = {0};
    vdi_reader reader = {0};
    reader.read_fn = read_file;
    reader.user = f;
    reader.name = path;
    if (vdi_npy_read_header(&reader, h, &err) < 0) {
        (void)fail_error(&err, path);
        return false;
    }
    if (h->plain && !h->fortran && h->ndim >= 1) return true;
    (void)fail("expected an array in C order with a first axis, in %s", path);
    return false;
}

static bool same_rows(const vdi_npy_header *a, const vdi_npy_header *b) {
    bool same = a->dtype == b->dtype && a->ndim == b->ndim;
    for (int i = 1; same && i < a->ndim; i++)
        same = a->shape[i] == b->shape[i];
    return same;
}

/* The file `name` of each part, open. */
static bool parts_open(const part *parts, int n, const char *name, FILE **in) {
    bool ok = true;
    for (int i = 0; i < n; i++) {
        char *path = path_join(parts[i].folder, name);
        in[i] = ok ? file_stream(path, "rb") : NULL;
        if (ok && !in[i]) {
            ok = false;
            (void)fail("%s is not there: part %d of %d is not finished (vdi %s %s --resume %s)",
                       path, i + 1, n, vdi_json_as_text(vdi_json_get(parts[i].json, "family"), ""),
                       vdi_json_as_text(vdi_json_get(parts[i].json, "verb"), ""), parts[i].folder);
        }
        free(path);
    }
    return ok;
}

static bool join_arrays(const part *parts, int n, const char *name, FILE **in, FILE *out) {
    vdi_npy_header all, one;
    vdi_writer w;
    vdi_error err = {0};
    for (int i = 0; i < n; i++) {
        if (!array_head(in[i], parts[i].folder, &one)) return false;
        if (i > 0 && !same_rows(&all, &one)) {
            (void)fail("%s has rows of another shape in %s than in %s", name, parts[i].folder,
                       parts[0].folder);
            return false;
        }
        const int64_t before = i > 0 ? all.shape[0] : 0;
        if (i == 0) all = one;
        all.shape[0] = before + one.shape[0];
    }
    vdi_writer_init(&w, write_file, out, name);
    if (vdi_npy_write_header(&w, all.dtype, all.ndim, all.shape, &err) < 0) {
        (void)fail_error(&err, name);
        return false;
    }
    bool ok = true;
    for (int i = 0; ok && i < n; i++)
        ok = copy_rest(in[i], out);
    if (!ok) (void)fail("cannot copy %s", name);
    return ok;
}

/* The first line of a table, which all parts share. */
static bool join_tables(const part *parts, int n, const char *name, FILE **in, FILE *out) {
    static char first[PIECE], line[PIECE];
    bool ok = fgets(first, sizeof first, in[0]) != NULL && fputs(first, out) >= 0;
    for (int i = 0; ok && i < n; i++) {
        if (i > 0 && (!fgets(line, sizeof line, in[i]) || strcmp(line, first) != 0)) {
            (void)fail("%s has other columns in %s than in %s", name, parts[i].folder,
                       parts[0].folder);
            return false;
        }
        ok = copy_rest(in[i], out);
    }
    if (!ok) (void)fail("cannot copy %s", name);
    return ok;
}

static bool join_file(const run *r, const part *parts, const char *name) {
    static FILE *in[PARTS];
    char part_name[260];
    const int n = r->arguments;
    snprintf(part_name, sizeof part_name, "%.250s.part", name);
    char *to = path_join(r->out, part_name), *path = path_join(r->out, name);
    bool ok = parts_open(parts, n, name, in);
    FILE *out = ok ? file_stream(to, "wb") : NULL;
    if (ok && !out) {
        ok = false;
        (void)fail("cannot write %s", to);
    }
    if (ok) ok = (ends_with(name, ".npy") ? join_arrays : join_tables)(parts, n, name, in, out);
    if (out && fclose(out) != 0 && ok) {
        ok = false;
        (void)fail("cannot write %s", to);
    }
    for (int i = 0; i < n; i++)
        if (in[i]) fclose(in[i]);
    if (ok && !file_replace(to, path)) {
        ok = false;
        (void)fail("cannot write %s", path);
    }
    if (!ok) file_remove(to);
    free(to);
    free(path);
    return ok;
}

static bool is_cv(const part *p) {
    return strcmp(vdi_json_as_text(vdi_json_get(p->json, "verb"), ""), "cv") == 0;
}

static int merge_main(run *r, void *options) {
    static part parts[PARTS];
    static char names[FILES][256];
    vdi_arena arena = {0};
    (void)options;
    vdi_arena_init(&arena, NULL, 0);
    int code = parts_sort(r, parts, &arena), n = 0;
    if (code == DONE && is_cv(&parts[0])) {
        vdi_arena_free(&arena);
        return cv_merge(r);
    }
    /* what one part has all have to have: a part that was stopped lacks what is written last */
    for (int i = 0; code == DONE && i < r->arguments; i++) {
        static char other[FILES][256];
        const int m = files_list(parts[i].folder, other);
        if (m > n) {
            n = m;
            memcpy(names, other, sizeof names);
        }
    }
    if (code == DONE && n == 0) code = fail("no array and no table in %s", parts[0].folder);
    if (code == DONE && !run_open_out(r)) code = FAILED;
    for (int i = 0; code == DONE && i < n; i++) {
        if (interrupted()) code = INTERRUPTED;
        if (code == DONE && !join_file(r, parts, names[i])) code = FAILED;
    }
    vdi_arena_free(&arena);
    if (code == DONE) {
        static const char *const keys[] = {"parts", "files"};
        const double values[] = {r->arguments, n};
        print_results(r, keys, values, 2);
    }
    return code;
}

const command merge_command = {
    .family = "merge",
    .verb = "",
    .arguments = "DIR...",
    .least = 1,
    .most = PARTS,
    .out = true,
    .summary =
        "Join the parts of an array job: the folders of runs with --shard 1/N to N/N, in any "
        "order. Arrays are joined along their first axis, tables line by line; of a "
        "cross-validation the table and its picture are made anew. A part that is missing, is not "
        "finished or belongs to another run is refused.",
    .example = "vdi merge parts/* --out all",
    .main = merge_main,
};
