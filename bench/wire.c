/* bench/wire.c - what a step costs over the wire of model/env/wire.h, between two processes and two
 * pipes
 *
 *     cc -std=gnu11 -O2 -Iinclude/vdi bench/wire.c -o build/wire -lm && build/wire [CMD]
 *
 * The server is this program's own child with the pendulum, whose own step costs next to nothing,
 * or CMD. Wall time, since a step of the wire is a message there, a switch of processes, a message
 * back and a switch: on a busy machine the upper quantiles are its neighbours'. The last figure is
 * CPU time of both processes together.
 */
#define VDI_ENV_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STEPS = 50000 };
static double taken[STEPS];

typedef struct ends {
    int in, out;
} ends;
static int64_t get(void *buffer, size_t size, void *user) {
    return read(((ends *)user)->in, buffer, size);
}
static bool put(const void *data, size_t size, void *user) {
    return write(((ends *)user)->out, data, size) == (ssize_t)size;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}
static double cpu(int who) {
    struct rusage u;
    getrusage(who, &u);
    return 1e6 * (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}
static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The time of each step, into `taken`. */
static int play(vdi_env *env, float *obs, const float *action, float *reward) {
    vdi_error err;
    uint64_t episode = 0;
    int end = 1;
    for (int i = 0; i < STEPS; i++) {
        if (end && vdi_env_reset(env, 1, episode++, obs, &err) < 0) {
            puts(err.message);
            return 1;
        }
        double t = now();
        if (vdi_env_step(env, action, obs, reward, &end, &err) < 0) {
            puts(err.message);
            return 1;
        }
        taken[i] = now() - t;
    }
    return 0;
}

static int measure(const char *name, vdi_env *env) {
    const size_t numbers = (size_t)(env->observations + env->actions + env->components);
    float *obs = (float *)calloc(numbers, sizeof *obs);
    float *action = obs + env->observations, *reward = action + env->actions;
    const int failed = !obs || play(env, obs, action, reward);
    free(obs);
    if (failed) return 1;
    qsort(taken, STEPS, sizeof *taken, rising);
    printf("%-24s %-16s quantiles 1 %%, 50 %%, 90 %%: %6.2f %6.2f %6.2f us a step\n", name,
           env->name, taken[STEPS / 100], taken[STEPS / 2], taken[STEPS / 10 * 9]);
    return 0;
}

int main(int argc, char **argv) {
    int there[2], back[2];
    vdi_env local, remote;
    vdi_error err;
    if (vdi_env_pendulum(&local) < 0 || pipe(there) < 0 || pipe(back) < 0) return 1;
    pid_t child = fork();
    if (child == 0) {
        ends e = {there[0], back[1]};
        vdi_env_wire wire = {get, put, &e};
        close(there[1]);
        close(back[0]);
        if (argc > 1) {
            dup2(e.in, 0);
            dup2(e.out, 1);
            execl("/bin/sh", "sh", "-c", argv[1], (char *)NULL);
            _exit(127);
        }
        _exit(vdi_env_wire_serve(&local, &wire, NULL, NULL) < 0);
    }
    close(there[0]);
    close(back[1]);
    ends e = {back[0], there[1]};
    vdi_env_wire wire = {get, put, &e};
    if (vdi_env_wire_open(&wire, NULL, &remote, &err) < 0) {
        puts(err.message);
        return 1;
    }
    double before = cpu(RUSAGE_SELF);
    int code = measure("over two pipes", &remote);
    double used = cpu(RUSAGE_SELF) - before;
    vdi_env_close(&remote);
    waitpid(child, NULL, 0);
    printf("%-24s %-16s client and server together: %.2f us a step\n", "CPU time", "",
           (used + cpu(RUSAGE_CHILDREN)) / STEPS);
    if (argc == 1) code |= measure("in this process", &local);
    vdi_env_close(&local);
    return code;
}
