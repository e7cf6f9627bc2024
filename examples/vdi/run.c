/* examples/vdi/run.c - messages, the run folder, interrupts, progress: what every verb needs */
#include <errno.h>
#include <stdarg.h>

#include "tool.h"

static void say(const char *format, va_list args) {
    if (terminal_is(stderr)) fputs("\r\033[K", stderr); /* over a progress bar */
    fputs("vdi: error: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return FAILED;
}

int usage(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return USAGE;
}

static const char *warned_of;
void warn_of(const char *file) { warned_of = file; }

void warn(const char *kind, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (terminal_is(stderr)) fputs("\r\033[K", stderr);
    fprintf(stderr, "vdi: warning: %s: ", kind);
    vfprintf(stderr, format, args);
    if (warned_of) fprintf(stderr, ", in %s", warned_of);
    fputc('\n', stderr);
    va_end(args);
}

int fail_error(const vdi_error *err, const char *file) {
    if (file && !strstr(err->message, file)) return fail("%s, in %s", err->message, file);
    return fail("%s", err->message);
}

char *path_join(const char *folder, const char *name) {
    size_t n = strlen(folder) + strlen(name) + 2;
    char *p = (char *)malloc(n);
    if (!p) exit(fail("out of memory"));
    snprintf(p, n, "%s%s%s", folder, *folder && folder[strlen(folder) - 1] == '/' ? "" : "/", name);
    return p;
}

bool run_open_out(run *r) {
    if (!r->out) return true;
    if (!folder_create(r->out)) {
        fail("cannot create the folder %s: %s", r->out, strerror(errno));
        return false;
    }
    if (r->lock >= 0) return run_json_save(r); /* a part of a run whose folder is locked */
    /* two runs in one folder would mix their files; the lock goes with the process, however it
     * ends */
    char *path = path_join(r->out, ".lock");
    bool held;
    r->lock = lock_take(path, &held);
    const bool ok = r->lock >= 0;
    if (ok) leave_behind(LEFT_LOCK, path);
    if (!ok) {
        (void)fail(held ? "another run is writing to %s (%s)" : "cannot write to the folder %s: %s",
                   r->out, strerror(errno));
    }
    if (!ok) free(path); /* else the handler of signals has it */
    return ok && run_json_save(r);
}

void run_close(run *r) {
    if (r->lock >= 0) {
        char *path = path_join(r->out, ".lock");
        lock_give(r->lock, path);
        leave_behind(LEFT_LOCK, NULL);
        free(path);
    }
}

/* Beside the file, then over it: whoever reads sees the old one or the whole new one, even after a
 * power cut. */
static char *part_path(int which, const char *path) {
    size_t n = strlen(path) + 8;
    char *part = (char *)malloc(n);
    if (!part) exit(fail("out of memory"));
    snprintf(part, n, "%s.part", path);
    leave_behind(which, part);
    return part;
}

static bool part_done(int which, char *part, const char *path, bool ok, vdi_error *err) {
    if (ok) {
        ok = file_sync(part) && file_replace(part, path);
        if (!ok) {
            (void)vdi_error_set(err, VDI_ERR_IO, "save", "cannot write %s: %s", path,
                                strerror(errno));
        }
    }
    if (!ok) file_remove(part);
    leave_behind(which, NULL);
    free(part);
    return ok;
}

bool save_atomically(const char *path,
                     vdi_status (*save)(const char *path, const void *what, vdi_error *err),
                     const void *what, vdi_error *err) {
    char *part = part_path(LEFT_PART, path);
    const bool ok = save(part, what, err) >= 0;
    return part_done(LEFT_PART, part, path, ok, err);
}

static vdi_status svg_write(const char *path, const void *what, vdi_error *err) {
    vdi_figure *f;
    memcpy(&f, &what, sizeof f); /* it is laid out where it is drawn */
    return vdi_svg_save(path, f, err);
}

bool save_svg(const char *path, vdi_figure *f, vdi_error *err) {
    return save_atomically(path, svg_write, f, err);
}

typedef struct table {
    const vdi_named_tensor *columns;
    int64_t count;
} table;

static vdi_status csv_write(const char *path, const void *what, vdi_error *err) {
    const table *t = (const table *)what;
    return vdi_csv_save(path, t->columns, t->count, err);
}

bool save_csv(const run *r, const char *name, const vdi_named_tensor *columns, int64_t count) {
    const table t = {columns, count};
    vdi_error err = {0};
    char *path = path_join(r->out, name);
    const bool ok = save_atomically(path, csv_write, &t, &err);
    if (!ok) (void)fail_error(&err, path);
    free(path);
    return ok;
}

bool report_open(report *p, const char *folder, const char *name, const char *title) {
    vdi_error err = {0};
    p->path = path_join(folder, name);
    p->part = part_path(LEFT_REPORT, p->path);
    if (vdi_writer_open(&p->w, p->part, &err) >= 0) {
        vdi_page_begin(&p->page, &p->w, title);
        return true;
    }
    (void)fail_error(&err, p->path);
    (void)part_done(LEFT_REPORT, p->part, p->path, false, NULL);
    free(p->path);
    return false;
}

bool report_close(report *p) {
    vdi_error err = {0};
    bool ok = vdi_page_end(&p->page, &err) == VDI_OK;
    ok = vdi_writer_close(&p->w, ok ? &err : NULL) == VDI_OK && ok;
    ok = part_done(LEFT_REPORT, p->part, p->path, ok, &err);
    if (!ok) (void)fail_error(&err, p->path);
    free(p->path);
    return ok;
}

bool checkpoint_due(double *saved, double seconds) {
    const char *test = getenv("VDI_TEST_CHECKPOINT_MS"); /* tests have no ten seconds */
    if (test) seconds = atof(test) / 1000;
    if (seconds_now() - *saved <= seconds) return false;
    *saved = seconds_now();
    return true;
}

/* ---- progress -------------------------------------------------------------------------------- */

static void print_duration(char *buf, size_t size, double s) {
    if (s < 100)
        snprintf(buf, size, "%.0f s", s);
    else if (s < 6000)
        snprintf(buf, size, "%.0f min", s / 60);
    else
        snprintf(buf, size, "%.1f h", s / 3600);
}

void progress(run *r, int64_t step, int64_t steps, const char *name, double value) {
    double now = seconds_now();
    bool terminal = terminal_is(stderr);
    if (r->quiet) return;
    if (r->started == 0) {
        r->started = r->spoke = now;
        r->first_step = step;
    }
    if (step < steps && now - r->spoke < (terminal ? 0.1 : 3)) return;
    if (!terminal && step >= steps && now - r->started < 3) return;
    r->spoke = now;
    double rate = now > r->started ? (double)(step - r->first_step) / (now - r->started) : 0;
    char left[32] = "-";
    if (rate > 0) print_duration(left, sizeof left, (double)(steps - step) / rate);
    if (terminal) {
        char bar[31];
        int full = steps > 0 ? (int)(30 * step / steps) : 30;
        for (int i = 0; i < 30; i++)
            bar[i] = i < full ? '#' : '.';
        bar[30] = 0;
        fprintf(stderr, "\r\033[K[%s] %lld/%lld  %.3g/s  %s left  %s %.6g", bar, (long long)step,
                (long long)steps, rate, left, name, value);
        r->drew = true;
    } else {
        fprintf(stderr, "%lld/%lld  %.3g/s  %s left  %s %.6g\n", (long long)step, (long long)steps,
                rate, left, name, value);
    }
    fflush(stderr);
}

void progress_end(run *r) {
    if (r->drew) fputc('\n', stderr);
    r->drew = false;
    r->started = 0;
}

void print_json_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == 127)
            printf("\\u%04x", c);
        else if (c == '"' || c == '\\')
            printf("\\%c", c);
        else
            putchar(c);
    }
    putchar('"');
}

void told_add(told *t, const char *key, double value) {
    t->key[t->count] = key;
    t->value[t->count++] = value;
}

void print_results(const run *r, const char *const *keys, const double *values, int count) {
    char number[VDI_TEXT_NUMBER];
    if (r->json) putchar('{');
    for (int i = 0; i < count; i++) {
        bool finite = values[i] - values[i] == 0;
        (void)vdi_text_double(number, values[i], r->json ? 0 : 10);
        if (r->json)
            printf("%s\"%s\": %s", i ? ", " : "", keys[i], finite ? number : "null");
        else
            printf("%-24s %s\n", keys[i], number);
    }
    if (r->json) puts("}");
}
