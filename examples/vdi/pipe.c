/* examples/vdi/pipe.c - an environment for an agent: a built-in one, or a program at the other end
 * of two pipes
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

static int64_t server_read(void *buffer, size_t size, void *user) {
    server *s = (server *)user;
    double deadline = 0;
    for (;;) {
        struct pollfd p = {s->from, POLLIN, 0};
        double left = s->timeout;
        if (s->timeout > 0 && deadline > 0) left = deadline - seconds_now();
        int ready = poll(&p, 1, s->timeout > 0 ? (left > 0 ? (int)(1000 * left) + 1 : 0) : -1);
        if (ready == 0) {
            s->late = true;
            return -1;
        }
        if (ready > 0) {
            ssize_t n = read(s->from, buffer, size);
            if (n >= 0 || errno != EINTR) return n;
        } else if (errno != EINTR) {
            return -1;
        }
        /* a signal came: Ctrl-C waits for the step to end */
        if (deadline == 0) deadline = seconds_now() + s->timeout;
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

/* What the library noticed at its end of the wire, in the words of someone who can see the
 * process. */
static void server_explain(server *s, vdi_error *err) {
    char what[128];
    if (!err) return;
    if (s->late) {
        snprintf(what, sizeof what, "gave no reply within %g s", s->timeout);
    } else if (err->status == VDI_ERR_IO && server_gone(s, 1000)) {
        if (WIFSIGNALED(s->status)) {
            snprintf(what, sizeof what, "was ended by signal %d", WTERMSIG(s->status));
        } else {
            snprintf(what, sizeof what, "ended with exit status %d before it replied%s",
                     WEXITSTATUS(s->status),
                     WEXITSTATUS(s->status) == 127 ? " (is there such a program?)" : "");
        }
    } else {
        char text[sizeof err->message];
        (void)vdi_text_copy(text, sizeof text, err->message);
        (void)vdi_error_set(err, err->status, "env-cmd", "%s, in --env-cmd '%s'", text, s->command);
        return;
    }
    (void)vdi_error_set(err, VDI_ERR_IO, "env-cmd",
                        "expected a reply, but the server %s, in --env-cmd '%s'", what, s->command);
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

/* Asks it to quit, then tells it, then makes it. */
static void server_close(void *self) {
    server *s = (server *)self;
    vdi_env_close(&s->far);
    if (s->to >= 0) close(s->to);
    if (s->from >= 0) close(s->from);
    if (!server_gone(s, s->late ? 0 : 2000)) {
        kill(-s->pid, SIGTERM);
        if (!server_gone(s, 1000)) {
            kill(-s->pid, SIGKILL);
            (void)server_gone(s, 1000);
        }
    }
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

static bool server_open(const char *line, double timeout, vdi_env *env) {
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

static const char *const lander_component[] = {"position",    "velocity",  "angle",
                                               "left_leg",    "right_leg", "main_engine",
                                               "side_engine", "failure",   "success"};
static const char *const walker_component[] = {"forward", "hull_angle", "torque", "failure"};

const env_program env_programs[] = {
    {{"lunar-lander", 8, 2, 9, 1000, NULL, NULL, lander_component, NULL, NULL, NULL, NULL},
     "build/box2d/lunar_lander",
     "Gymnasium's LunarLander (continuous) on Box2D"},
    {{"bipedal-walker", 24, 4, 4, 1600, NULL, NULL, walker_component, NULL, NULL, NULL, NULL},
     "build/box2d/bipedal_walker",
     "Gymnasium's BipedalWalker on Box2D"},
    {{NULL, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL}, NULL, NULL},
};

bool env_open_as(const char *name, const char *line, double timeout, vdi_env *env) {
    vdi_error err = {0};
    bool named = name && *name, served = line && *line;
    memset(env, 0, sizeof *env);
    if (named == served) {
        exit(usage("expected one of --env NAME and --env-cmd \"CMD\", got %s",
                   named ? "both" : "neither"));
    }
    if (served) return server_open(line, timeout, env);
    if (vdi_env_open(name, NULL, env, &err) >= 0) return true;
    if (err.status == VDI_ERR_MEMORY) {
        (void)fail_error(&err, NULL);
        return false;
    }
    for (const env_program *p = env_programs; p->line; p++) {
        if (strcmp(name, p->env.name) == 0) {
            exit(usage("--env: %s runs outside the tool: expected make box2d, then --env-cmd %s",
                       name, p->line));
        }
    }
    exit(usage("--env: %s; others run outside, behind --env-cmd (vdi sacd envs)", err.message));
}

/* A line out of a file, where a terminal is told no more than its letters. */
static const char *shown(const char *line) {
    static char text[400];
    size_t n = 0;
    for (; line[n] && n + 1 < sizeof text; n++)
        text[n] = (unsigned char)line[n] < ' ' || line[n] == 127 ? '?' : line[n];
    text[n] = 0;
    return text;
}

bool env_command_trusted(const char *line, const char *file, bool trust) {
    if (!trust) {
        (void)usage("a file does not start a program: give --env-cmd yourself, or --trust to run "
                    "'%s', which stands in %s",
                    shown(line), file);
        return false;
    }
    fprintf(stderr, "vdi: running '%s', which stands in %s\n", shown(line), file);
    return true;
}

bool env_open(const run *r, const env_options *o, vdi_env *env) {
    if (o->command && option_given(r, "env-cmd") == IN_FILE &&
        !env_command_trusted(o->command, "its run.json", o->trust))
        exit(USAGE);
    return env_open_as(o->name, o->command, o->timeout, env);
}
