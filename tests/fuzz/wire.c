/* tests/fuzz/wire.c - the protocol of environments: any bytes to a server, and to a client
 *
 * The first byte says how many bytes come at a time. Both ends have to come to an end, and leave
 * nothing behind; an error has a message of one line.
 */
#define VDI_ENV_IMPLEMENTATION
#define VDI_STATIC
#include "vdi.h"

#include <stdlib.h>

typedef struct peer {
    const uint8_t *data;
    size_t size, at, most, written;
} peer;
static int64_t peer_read(void *buffer, size_t size, void *user) {
    peer *p = (peer *)user;
    size_t n = p->size - p->at;
    if (n > size) n = size;
    if (n > p->most) n = p->most;
    if (n) memcpy(buffer, p->data + p->at, n);
    p->at += n;
    return (int64_t)n;
}
static bool peer_write(const void *data, size_t size, void *user) {
    peer *p = (peer *)user;
    const uint8_t *byte = (const uint8_t *)data;
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < size; i++) /* all of it is readable */
        sum = (uint8_t)(sum + byte[i]);
    p->written += size;
    return p->written < 1 << 20;
}

static size_t live;
static void *counting_alloc(size_t size, size_t align, void *user) {
    (void)user;
    if (size > 32 << 20) return NULL;
    void *p = vdi_allocator_defaults(NULL).alloc_fn(size, align, NULL);
    live += p != NULL;
    return p;
}
static void counting_free(void *p, size_t size, size_t align, void *user) {
    (void)user;
    live -= p != NULL;
    vdi_allocator_defaults(NULL).free_fn(p, size, align, NULL);
}

static void told(vdi_status status, const vdi_error *err) {
    if (status < 0 && (err->status != status || !err->message[0] || strchr(err->message, '\n')))
        abort();
}

static void client(const vdi_env_wire *wire, const vdi_allocator *a) {
    vdi_env env;
    vdi_error err;
    int end = 0;
    vdi_status status = vdi_env_wire_open(wire, a, &env, &err);
    told(status, &err);
    if (status < 0) return;
    float *obs = (float *)calloc((size_t)env.observations, sizeof *obs);
    float *reward = (float *)calloc((size_t)env.components, sizeof *reward);
    float *action = (float *)calloc((size_t)env.actions, sizeof *action);
    status = vdi_env_reset(&env, 1, 2, obs, &err);
    for (int i = 0; status >= 0 && !end && i < 100; i++)
        status = vdi_env_step(&env, action, obs, reward, &end, &err);
    told(status, &err);
    for (int64_t i = 0; status >= 0 && i < env.observations; i++)
        if (obs[i] - obs[i] != 0) abort();
    vdi_env_close(&env);
    free(obs);
    free(reward);
    free(action);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    peer p = {data + 1, size - 1, 0, 1 + data[0] % 16u, 0};
    vdi_env_wire wire = {peer_read, peer_write, &p};
    vdi_allocator a = {counting_alloc, counting_free, NULL};
    vdi_env pendulum;
    vdi_error err;
    client(&wire, &a);
    p.at = p.written = 0;
    if (vdi_env_pendulum(&pendulum) < 0) abort();
    told(vdi_env_wire_serve(&pendulum, &wire, &a, &err), &err);
    vdi_env_close(&pendulum);
    if (live) abort();
    return 0;
}
