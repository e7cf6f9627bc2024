/* examples/vdi/run.c - messages, the run folder, interrupts, progress: what POSIX brings to the
 * tool */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

/* Files that have to go when a signal ends the program. */
enum { LOCK, PART, REPORT, LEFT };
static char *volatile behind[LEFT];

static void leave_behind(int which, char *path) { behind[which] = path; }

double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void say(const char *format, va_list args) {
    if (isatty(2)) fputs("\r\033[K", stderr); /* over a progress bar */
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
    if (isatty(2)) fputs("\r\033[K", stderr);
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

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

static bool make_folders(const char *path) {
    char part[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (size_t i = 1; i <= n; i++) {
        if (i < n && path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0777) < 0 && errno != EEXIST) return false;
    }
    struct stat s;
    if (stat(path, &s) < 0 || !S_ISDIR(s.st_mode)) {
        errno = ENOTDIR;
        return false;
    }
    return true;
}

bool run_open_out(run *r) {
    if (!r->out) return true;
    if (!make_folders(r->out)) {
        fail("cannot create the folder %s: %s", r->out, strerror(errno));
        return false;
    }
    if (r->lock >= 0) return run_json_save(r); /* a part of a run whose folder is locked */
    /* two runs in one folder would mix their files; the lock goes with the process, however it
     * ends */
    char *path = path_join(r->out, ".lock");
    struct flock l;
    memset(&l, 0, sizeof l);
    l.l_type = F_WRLCK;
    r->lock = open(path, O_RDWR | O_CREAT, 0666);
    bool ok = r->lock >= 0 && fcntl(r->lock, F_SETLK, &l) == 0;
    if (ok) leave_behind(LOCK, path);
    if (!ok) {
        (void)fail(r->lock < 0 ? "cannot write to the folder %s: %s"
                               : "another run is writing to %s (%s)",
                   r->out, strerror(errno));
        if (r->lock >= 0) close(r->lock); /* it is the other's: not ours to remove */
        r->lock = -1;
    }
    if (!ok) free(path); /* else the handler of signals has it */
    return ok && run_json_save(r);
}

void run_close(run *r) {
    if (r->lock >= 0) {
        char *path = path_join(r->out, ".lock");
        unlink(path);
        leave_behind(LOCK, NULL);
        free(path);
        close(r->lock);
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
        int f = open(part, O_RDONLY);
        ok = f >= 0 && fsync(f) == 0 && close(f) == 0 && rename(part, path) == 0;
        if (!ok) {
            (void)vdi_error_set(err, VDI_ERR_IO, "save", "cannot write %s: %s", path,
                                strerror(errno));
        }
    }
    if (!ok) unlink(part);
    leave_behind(which, NULL);
    free(part);
    return ok;
}

bool save_atomically(const char *path,
                     vdi_status (*save)(const char *path, const void *what, vdi_error *err),
                     const void *what, vdi_error *err) {
    char *part = part_path(PART, path);
    const bool ok = save(part, what, err) >= 0;
    return part_done(PART, part, path, ok, err);
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
    p->part = part_path(REPORT, p->path);
    if (vdi_writer_open(&p->w, p->part, &err) >= 0) {
        vdi_page_begin(&p->page, &p->w, title);
        return true;
    }
    (void)fail_error(&err, p->path);
    (void)part_done(REPORT, p->part, p->path, false, NULL);
    free(p->path);
    return false;
}

bool report_close(report *p) {
    vdi_error err = {0};
    bool ok = vdi_page_end(&p->page, &err) == VDI_OK;
    ok = vdi_writer_close(&p->w, ok ? &err : NULL) == VDI_OK && ok;
    ok = part_done(REPORT, p->part, p->path, ok, &err);
    if (!ok) (void)fail_error(&err, p->path);
    free(p->path);
    return ok;
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static volatile sig_atomic_t stop;

/* A verb that has a loop asks interrupted() and saves; one that has none, or is in a long step of
 * it, is ended after this many microseconds. It loses nothing that was there: files are written
 * beside and renamed. */
enum { GRACE = 700000 };

static void after(long microseconds) {
    struct itimerval t;
    memset(&t, 0, sizeof t);
    t.it_value.tv_usec = microseconds;
    setitimer(ITIMER_REAL, &t, NULL);
}

static void on_alarm(int signal_number) {
    static const char text[] = "vdi: interrupted\n";
    (void)signal_number;
    for (int i = 0; i < LEFT; i++)
        if (behind[i]) unlink(behind[i]);
    if (write(2, text, sizeof text - 1) < 0) _exit(128 + (int)stop);
    _exit(128 + (int)stop);
}

static void on_signal(int signal_number) {
    stop = signal_number;
    after(GRACE);
}

void catch_interrupts(void) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_alarm;
    sigaction(SIGALRM, &a, NULL);
    a.sa_handler = on_signal;
    a.sa_flags = (int)SA_RESETHAND; /* a second Ctrl-C ends the program at once */
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

bool interrupted(void) {
    if (stop) after(0); /* who asks is about to save */
    return stop != 0;
}

int interrupted_code(void) { return 128 + (stop ? (int)stop : SIGINT); }

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
    bool terminal = isatty(2) != 0;
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
