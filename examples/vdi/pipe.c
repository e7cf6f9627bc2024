/* examples/vdi/pipe.c - an environment that is a program at the other end of two pipes
 *
 * The protocol is the library's (model/env/wire.h); here are the process, its pipes, its time
 * limit, and what can be told when it is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

typedef struct server {
    vdi_env far; /* the library's end of the wire */
    char *command;
    double timeout; /* seconds for one reply; 0: for ever */
    pid_t pid;      /* of the shell, which leads a group of its own; 0: collected */
    int to, from;   /* its standard input and output */
    bool late;      /* a reply did not come in time */
    int status;     /* what waitpid said, once pid is 0 */
} server;

static void sleep_ms(int ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* Milliseconds for which a signal that came while a reply was awaited is kept waiting. */
enum { PATIENCE = 300, SLICE = 100 };

/* Waits in slices, so that a signal is noticed wherever it comes. */
static int64_t server_read(void *buffer, size_t size, void *user) {
    server *s = (server *)user;
    double deadline = s->timeout > 0 ? seconds_now() + s->timeout : INFINITY;
    bool hurried = false;
    for (;;) {
        struct pollfd p = {s->from, POLLIN, 0};
        const double left = 1000 * (deadline - seconds_now());
        const int ready = poll(&p, 1, left < SLICE ? (int)fmax(left, 0) + 1 : SLICE);
        if (ready > 0) {
            const ssize_t n = read(s->from, buffer, size);
            if (n >= 0 || errno != EINTR) return n;
        } else if (ready < 0 && errno != EINTR) {
            return -1;
        }
        if (!hurried && interrupted()) {
            deadline = fmin(deadline, seconds_now() + PATIENCE / 1000.0);
            hurried = true;
        }
        if (ready == 0 && seconds_now() >= deadline) {
            s->late = true;
            return -1;
        }
    }
}

static bool server_write(const void *data, size_t size, void *user) {
    server *s = (server *)user;
    const char *p = (const char *)data;
    while (size > 0) {
        ssize_t n = write(s->to, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

/* Is it gone, at the latest after `ms`? */
static bool server_gone(server *s, int ms) {
    for (int waited = 0; s->pid; waited++) {
        pid_t p = waitpid(s->pid, &s->status, WNOHANG);
        if (p != 0 && !(p < 0 && errno == EINTR))
            s->pid = 0;
        else if (waited >= ms)
            return false;
        else
            sleep_ms(1);
    }
    return true;
}

static void server_hang_up(server *s) {
    if (s->to >= 0) close(s->to);
    if (s->from >= 0) close(s->from);
    s->to = s->from = -1;
}

/* Closes its pipes, and gives it `ms` to leave; then tells it, then makes it, with all that it has
 * started. */
static void server_end(server *s, int ms) {
    const pid_t group = s->pid;
    server_hang_up(s);
    if (!group) return;
    if (!server_gone(s, ms)) {
        kill(-group, SIGTERM);
        if (!server_gone(s, interrupted() ? 100 : 1000)) {
            kill(-group, SIGKILL);
            (void)server_gone(s, 1000);
        }
    }
    kill(-group, SIGKILL); /* what it has left behind; nobody, as a rule */
}

/* How it ended, in words. */
static void server_end_text(const server *s, char *text, size_t size) {
    if (s->pid) {
        snprintf(text, size, "still runs");
    } else if (WIFSIGNALED(s->status)) {
        snprintf(text, size, "was ended by signal %d", WTERMSIG(s->status));
    } else {
        snprintf(text, size, "ended with exit status %d%s", WEXITSTATUS(s->status),
                 WEXITSTATUS(s->status) == 127 ? " (is there such a program?)" : "");
    }
}

/* What the library noticed at its end of the wire, in the words of someone who can see the
 * process. After a failure that the server itself has told it may begin another episode; after any
 * other nobody knows what it would say next, so it is ended. */
static void server_explain(server *s, vdi_error *err) {
    char how[128], text[sizeof err->message];
    vdi_error ignored;
    if (!err) err = &ignored;
    (void)vdi_text_copy(text, sizeof text, err->message);
    if (err->status == VDI_ERR_DATA) {
        (void)vdi_error_set(err, err->status, "env-cmd", "%s, in --env-cmd '%s'", text, s->command);
        return;
    }
    const bool gone = err->status == VDI_ERR_IO && !s->late && server_gone(s, 1000);
    server_end(s, 0);
    server_end_text(s, how, sizeof how);
    if (s->late) {
        (void)vdi_error_set(err, VDI_ERR_IO, "env-cmd",
                            "expected a reply, but the server gave none within %g s and %s, in "
                            "--env-cmd '%s'",
                            s->timeout, how, s->command);
    } else if (gone) {
        (void)vdi_error_set(err, VDI_ERR_IO, "env-cmd",
                            "expected a reply, but the server %s before it replied, in --env-cmd "
                            "'%s'",
                            how, s->command);
    } else {
        (void)vdi_error_set(err, err->status, "env-cmd", "%s; the server %s, in --env-cmd '%s'",
                            text, how, s->command);
    }
}

static vdi_status server_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                               vdi_error *err) {
    server *s = (server *)self;
    vdi_status status = s->far.reset(s->far.self, seed, episode, obs, err);
    if (status < 0) server_explain(s, err);
    return status;
}

static vdi_status server_step(void *self, const float *action, float *obs, float *reward, int *end,
                              vdi_error *err) {
    server *s = (server *)self;
    vdi_status status = s->far.step(s->far.self, action, obs, reward, end, err);
    if (status < 0) server_explain(s, err);
    return status;
}

/* Asks it to quit first. */
static void server_close(void *self) {
    server *s = (server *)self;
    vdi_env_close(&s->far);
    server_end(s, interrupted() ? 100 : 2000);
    free(s->command);
    free(s);
}

static bool make_pipe(int end[2]) {
    if (pipe(end) < 0) return false;
    for (int i = 0; i < 2; i++)
        fcntl(end[i], F_SETFD, FD_CLOEXEC);
    return true;
}

static bool server_start(server *s) {
    int in[2], out[2];
    if (!make_pipe(in)) return false;
    if (!make_pipe(out)) {
        close(in[0]);
        close(in[1]);
        return false;
    }
    /* a server that dies is an error of a write, not the end of this program */
    signal(SIGPIPE, SIG_IGN);
    fflush(NULL);
    s->pid = fork();
    if (s->pid == 0) {
        setpgid(0, 0); /* Ctrl-C is for us: the server has to answer until we have saved */
        signal(SIGPIPE, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0) _exit(126);
        execl("/bin/sh", "sh", "-c", s->command, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    s->to = in[1];
    s->from = out[0];
    if (s->pid < 0) {
        s->pid = 0;
        return false;
    }
    setpgid(s->pid, s->pid); /* here too: whoever comes first */
    return true;
}

bool server_open(const char *line, double timeout, vdi_env *env) {
    vdi_error err = {0};
    server *s = (server *)calloc(1, sizeof *s);
    if (s) {
        s->to = s->from = -1;
        s->timeout = timeout;
        s->command = strdup(line);
    }
    if (!s || !s->command) {
        free(s);
        (void)fail("out of memory");
        return false;
    }
    if (!server_start(s)) {
        (void)fail("cannot start --env-cmd '%s': %s", line, strerror(errno));
        server_close(s);
        return false;
    }
    vdi_env_wire wire = {server_read, server_write, s};
    if (vdi_env_wire_open(&wire, NULL, &s->far, &err) < 0) {
        server_explain(s, &err);
        server_close(s);
        (void)fail("%s", err.message);
        return false;
    }
    *env = s->far;
    env->reset = server_reset;
    env->step = server_step;
    env->close = server_close;
    env->self = s;
    return true;
}
