/* tests/portable/server.c - a simulator for vdi sacd --env-cmd: the pendulum over standard input
 * and output. server [STEPS]: after so many it no longer answers. For systems without a shell. */
#include <stdio.h>
#include <stdlib.h>

#include "vdi.h"
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <windows.h>
static void nap(void) { Sleep(1000); }
#else
#include <unistd.h>
static void nap(void) { sleep(1); }
#endif

static vdi_env pendulum;
static long left = -1;

static vdi_status step(void *self, const float *action, float *obs, float *reward, int *end,
                       vdi_error *err) {
    while (left == 0)
        nap();
    if (left > 0) left--;
    return pendulum.step(self, action, obs, reward, end, err);
}

static int64_t read_input(void *buffer, size_t size, void *user) {
    (void)size;
    (void)user;
    return (int64_t)fread(buffer, 1, 1, stdin); /* waits for no more than there is */
}

static bool write_output(const void *data, size_t size, void *user) {
    (void)user;
    return fwrite(data, 1, size, stdout) == size && fflush(stdout) == 0;
}

int main(int argc, char **argv) {
    const vdi_env_wire wire = {read_input, write_output, NULL};
    vdi_error err = {0};
    if (argc > 1) left = atol(argv[1]);
#ifdef _WIN32
    (void)_setmode(0, _O_BINARY);
    (void)_setmode(1, _O_BINARY);
#endif
    if (vdi_env_open("pendulum", NULL, &pendulum, &err) >= 0) {
        vdi_env served = pendulum;
        served.step = step;
        if (vdi_env_wire_serve(&served, &wire, NULL, &err) >= 0) return 0;
    }
    fprintf(stderr, "server: %s\n", err.message);
    return 1;
}
