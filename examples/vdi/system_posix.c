/* examples/vdi/system_posix.c - what the tool asks of the operating system, by POSIX */
#include "system.h"

#ifndef _WIN32

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the process ----------------------------------------------------------------------------- */

void system_begin(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
}

double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double cpu_seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

int processor_count(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }

void processor_name(char *text, size_t size) {
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(text, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(text, size, "%s", colon + 2);
        break;
    }
    if (f) fclose(f);
}

bool terminal_is(FILE *stream) { return isatty(fileno(stream)) != 0; }

int terminal_width(FILE *stream) {
    struct winsize w = {0};
    return terminal_is(stream) && ioctl(fileno(stream), TIOCGWINSZ, &w) >= 0 ? w.ws_col : 0;
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static volatile sig_atomic_t stop;
static char *volatile behind[LEFT_KINDS];

void leave_behind(int kind, char *path) { behind[kind] = path; }

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
    for (int i = 0; i < LEFT_KINDS; i++)
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

/* ---- files and folders ----------------------------------------------------------------------- */

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

bool folder_exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

bool folder_create(const char *path) {
    char part[4096];
    const size_t n = strlen(path);
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
    if (folder_exists(path)) return true;
    errno = ENOTDIR;
    return false;
}

bool file_remove(const char *path) { return unlink(path) == 0; }

bool file_replace(const char *from, const char *to) { return rename(from, to) == 0; }

bool file_sync(const char *path) {
    const int f = open(path, O_RDONLY);
    return f >= 0 && fsync(f) == 0 && close(f) == 0;
}

FILE *file_stream(const char *path, const char *mode) { return fopen(path, mode); }

int file_open(const char *path, int how) {
    if (how == FILE_READ) return open(path, O_RDONLY);
    return open(path, O_RDWR | O_CREAT | (how == FILE_NEW ? O_TRUNC : 0), 0666);
}

int64_t file_size(int file) {
    struct stat s;
    return fstat(file, &s) == 0 ? (int64_t)s.st_size : -1;
}

int64_t file_read_at(int file, void *to, size_t size, int64_t at) {
    ssize_t n = -1;
    do {
        n = pread(file, to, size, (off_t)at);
    } while (n < 0 && errno == EINTR);
    return n;
}

int64_t file_write_at(int file, const void *from, size_t size, int64_t at) {
    ssize_t n = -1;
    do {
        n = pwrite(file, from, size, (off_t)at);
    } while (n < 0 && errno == EINTR);
    return n;
}

bool file_cut(int file, int64_t size) { return ftruncate(file, (off_t)size) == 0; }

bool file_flush(int file) { return fsync(file) == 0 || errno == EINVAL || errno == EROFS; }

bool file_close(int file) { return close(file) == 0; }

struct folder_reader {
    DIR *dir;
};

folder_reader *folder_open(const char *path) {
    DIR *dir = opendir(path);
    folder_reader *f = dir ? (folder_reader *)malloc(sizeof *f) : NULL;
    if (f) f->dir = dir;
    if (!f && dir) closedir(dir);
    return f;
}

const char *folder_next(folder_reader *f) {
    const struct dirent *entry = readdir(f->dir);
    return entry ? entry->d_name : NULL;
}

void folder_close(folder_reader *f) {
    closedir(f->dir);
    free(f);
}

int lock_take(const char *path, bool *held) {
    struct flock l;
    memset(&l, 0, sizeof l);
    l.l_type = F_WRLCK;
    const int file = open(path, O_RDWR | O_CREAT, 0666);
    *held = file >= 0 && fcntl(file, F_SETLK, &l) != 0;
    if (!*held) return file;
    const int why = errno;
    close(file); /* it is the other's: not ours to remove */
    errno = why;
    return -1;
}

void lock_give(int lock, const char *path) {
    unlink(path);
    close(lock);
}

/* ---- another program ------------------------------------------------------------------------- */

static bool make_pipe(int end[2]) {
    if (pipe(end) < 0) return false;
    for (int i = 0; i < 2; i++)
        fcntl(end[i], F_SETFD, FD_CLOEXEC);
    return true;
}

static void child_main(const char *line, int in, int out) {
    setpgid(0, 0); /* Ctrl-C is for us: the child has to answer until we have saved */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0) _exit(126);
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

bool child_start(child_process *c, const char *line) {
    int in[2], out[2];
    memset(c, 0, sizeof *c);
    c->to = c->from = -1;
    if (!make_pipe(in)) return false;
    if (!make_pipe(out)) {
        close(in[0]);
        close(in[1]);
        return false;
    }
    /* a child that dies is an error of a write, not the end of this program */
    signal(SIGPIPE, SIG_IGN);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) child_main(line, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    c->to = in[1];
    c->from = out[0];
    if (pid < 0) return false;
    setpgid(pid, pid); /* here too: whoever comes first */
    c->process = c->group = pid;
    return true;
}

int64_t child_read(child_process *c, void *to, size_t size, int ms) {
    struct pollfd p = {(int)c->from, POLLIN, 0};
    const int ready = poll(&p, 1, ms);
    if (ready == 0 || (ready < 0 && errno == EINTR)) return CHILD_NOTHING_YET;
    const ssize_t n = ready > 0 ? read((int)c->from, to, size) : -1;
    return n < 0 && errno == EINTR ? CHILD_NOTHING_YET : n;
}

bool child_write(child_process *c, const void *from, size_t size) {
    const char *p = (const char *)from;
    while (size > 0) {
        const ssize_t n = write((int)c->to, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

void child_hang_up(child_process *c) {
    if (c->to >= 0) close((int)c->to);
    if (c->from >= 0) close((int)c->from);
    c->to = c->from = -1;
}

bool child_gone(child_process *c, int ms) {
    const struct timespec millisecond = {0, 1000000L};
    for (int waited = 0; c->process; waited++) {
        const pid_t p = waitpid((pid_t)c->process, &c->status, WNOHANG);
        if (p != 0 && !(p < 0 && errno == EINTR))
            c->process = 0;
        else if (waited >= ms)
            return false;
        else
            nanosleep(&millisecond, NULL);
    }
    return true;
}

void child_terminate(child_process *c) {
    if (c->group) kill(-(pid_t)c->group, SIGTERM);
}

void child_kill(child_process *c) {
    if (c->group) kill(-(pid_t)c->group, SIGKILL);
}

void child_end_text(const child_process *c, char *text, size_t size) {
    if (c->process) {
        snprintf(text, size, "still runs");
    } else if (WIFSIGNALED(c->status)) {
        snprintf(text, size, "was ended by signal %d", WTERMSIG(c->status));
    } else {
        snprintf(text, size, "ended with exit status %d%s", WEXITSTATUS(c->status),
                 WEXITSTATUS(c->status) == 127 ? " (is there such a program?)" : "");
    }
}
#endif
