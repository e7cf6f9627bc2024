/* examples/vdi/pipe.c - an environment that is a program at the other end of two pipes
 *
 * The protocol is the library's (model/env/wire.h); here are the process, its pipes, its time
 * limit, and what can be told when it is gone.
 */
#include <errno.h>

#include "tool.h"

typedef struct server {
    vdi_env far; /* the library's end of the wire */
    char *command;
    double timeout; /* seconds for one reply; 0: for ever */
    child_process child;
    bool late; /* a reply did not come in time */
} server;

/* Milliseconds for which a signal that came while a reply was awaited is kept waiting. */
enum { PATIENCE = 300, SLICE = 100 };

/* Waits in slices, so that a signal is noticed wherever it comes. */
static int64_t server_read(void *buffer, size_t size, void *user) {
    server *s = (server *)user;
    double deadline = s->timeout > 0 ? seconds_now() + s->timeout : INFINITY;
    bool hurried = false;
    for (;;) {
        const double left = 1000 * (deadline - seconds_now());
        const int ms = left < SLICE ? (int)fmax(left, 0) + 1 : SLICE;
        const int64_t n = child_read(&s->child, buffer, size, ms);
        if (n != CHILD_NOTHING_YET) return n;
        if (!hurried && interrupted()) {
            deadline = fmin(deadline, seconds_now() + PATIENCE / 1000.0);
            hurried = true;
        }
        if (seconds_now() >= deadline) {
            s->late = true;
            return -1;
        }
    }
}

static bool server_write(const void *data, size_t size, void *user) {
    return child_write(&((server *)user)->child, data, size);
}

/* Closes its pipes, and gives it `ms` to leave; then tells it, then makes it, with all that it has
 * started. */
static void server_end(server *s, int ms) {
    child_hang_up(&s->child);
    if (!s->child.process) return;
    if (!child_gone(&s->child, ms)) {
        child_terminate(&s->child);
        if (!child_gone(&s->child, interrupted() ? 100 : 1000)) {
            child_kill(&s->child);
            (void)child_gone(&s->child, 1000);
        }
    }
    child_kill(&s->child); /* what it has left behind; nobody, as a rule */
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
    const bool gone = err->status == VDI_ERR_IO && !s->late && child_gone(&s->child, 1000);
    server_end(s, 0);
    child_end_text(&s->child, how, sizeof how);
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

bool server_open(const char *line, double timeout, vdi_env *env) {
    vdi_error err = {0};
    server *s = (server *)calloc(1, sizeof *s);
    if (s) {
        s->child.to = s->child.from = -1;
        s->timeout = timeout;
        s->command = strdup(line);
    }
    if (!s || !s->command) {
        free(s);
        (void)fail("out of memory");
        return false;
    }
    if (!child_start(&s->child, line)) {
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
