/* examples/vdi/run.c - messages, the run folder, interrupts, progress: what POSIX brings to the
 * tool */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

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
    /* two runs in one folder would mix their files; the lock goes with the process, however it
     * ends */
    char *path = path_join(r->out, ".lock");
    struct flock l;
    memset(&l, 0, sizeof l);
    l.l_type = F_WRLCK;
    r->lock = open(path, O_RDWR | O_CREAT, 0666);
    bool ok = r->lock >= 0 && fcntl(r->lock, F_SETLK, &l) == 0;
    if (!ok) {
        (void)fail(r->lock < 0 ? "cannot write to the folder %s: %s"
                               : "another run is writing to %s (%s)",
                   r->out, strerror(errno));
        if (r->lock >= 0) close(r->lock); /* it is the other's: not ours to remove */
        r->lock = -1;
    }
    free(path);
    return ok && run_json_save(r);
}

bool run_close(run *r) {
    if (r->lock >= 0) {
        char *path = path_join(r->out, ".lock");
        unlink(path);
        free(path);
        close(r->lock);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fail("cannot write to standard output: %s", strerror(errno));
        return false;
    }
    return true;
}

/* Beside the file, then over it: whoever reads sees the old one or the whole new one, even after a
 * power cut. */
bool save_atomically(const char *path,
                     vdi_status (*save)(const char *path, const void *what, vdi_error *err),
                     const void *what, vdi_error *err) {
    size_t n = strlen(path) + 8;
    char *part = (char *)malloc(n);
    if (!part) {
        vdi_error_set(err, VDI_ERR_MEMORY, "save", "no memory");
        return false;
    }
    snprintf(part, n, "%s.part", path);
    bool ok = save(part, what, err) >= 0;
    if (ok) {
        int f = open(part, O_RDONLY);
        ok = f >= 0 && fsync(f) == 0 && close(f) == 0 && rename(part, path) == 0;
        if (!ok) {
            (void)vdi_error_set(err, VDI_ERR_IO, "save", "cannot write %s: %s", path,
                                strerror(errno));
        }
    }
    if (!ok) unlink(part);
    free(part);
    return ok;
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static volatile sig_atomic_t stop;

static void on_signal(int signal_number) {
    (void)signal_number;
    stop = 1;
}

void catch_interrupts(void) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_signal;
    a.sa_flags = (int)SA_RESETHAND; /* a second Ctrl-C ends the program at once */
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

bool interrupted(void) { return stop != 0; }

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
