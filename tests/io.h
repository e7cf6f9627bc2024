/* tests/io.h - what the tests of io share: streams that are awkward, and a folder to write in */
#ifndef VDI_TESTS_IO_H
#define VDI_TESTS_IO_H
#include "check.h"
#include <unistd.h>

/** A stream of memory that gives few bytes at a time, does not tell its size and cannot seek, and
 * may fail at `fail_at`. */
typedef struct slow_stream {
    const unsigned char *data;
    size_t size, at, most;
    int fails;
} slow_stream;
static inline int64_t slow_read(void *buffer, size_t size, void *user) {
    slow_stream *s = (slow_stream *)user;
    size_t n = s->size - s->at < size ? s->size - s->at : size;
    if (n > s->most) n = s->most;
    if (n == 0 && s->fails) return -1;
    memcpy(buffer, s->data + s->at, n);
    s->at += n;
    return (int64_t)n;
}
static inline vdi_reader slow_reader(slow_stream *s, const void *data, size_t size, size_t most) {
    vdi_reader r;
    memset(&r, 0, sizeof r);
    s->data = (const unsigned char *)data;
    s->size = size;
    s->at = 0;
    s->most = most;
    s->fails = 0;
    r.read_fn = slow_read;
    r.user = s;
    r.name = "stream";
    return r;
}

/** A disk with space for `left` bytes. */
static inline bool full_write(const void *data, size_t size, void *user) {
    size_t *left = (size_t *)user;
    (void)data;
    if (size > *left) return false;
    *left -= size;
    return true;
}

/** A command of the shell; its exit status, not 0 where there is no shell. */
static inline int run_command(const char *command) {
#if defined(__unix__) || defined(__APPLE__)
    return system(command);
#else
    (void)command;
    return -1;
#endif
}

/** Can Python read what was written? */
static inline bool have_numpy(void) {
    return run_command("/usr/bin/python3 -c 'import numpy' > /dev/null 2>&1") == 0;
}

/** The device that is always full, or NULL where there is none (wine shows one that is not). */
static inline FILE *open_full_disk(void) {
#ifdef _WIN32
    return NULL;
#else
    return fopen("/dev/full", "wb");
#endif
}

/** A path in a folder for scratch files. */
static inline const char *scratch_path(const char *name) {
    static char path[4][512];
    static int turn;
    const char *folder = getenv("TMPDIR");
    char *p = path[turn++ & 3];
    /* suites run side by side */
    snprintf(p, sizeof path[0], "%s/vdi_%ld_%s", folder ? folder : "/tmp", (long)getpid(), name);
    return p;
}

/** Does the message speak of that? */
#define CHECK_SAYS(err, text) \
    CHECK(strstr((err).message, text) != NULL, "\"%s\" does not say \"%s\"", (err).message, text)

/** The largest request so far, for bounds on what a lying file can make a loader ask for. */
typedef struct greedy_allocator {
    size_t largest;
} greedy_allocator;
static inline void *greedy_alloc(size_t size, size_t align, void *user) {
    greedy_allocator *g = (greedy_allocator *)user;
    if (size > g->largest) g->largest = size;
    return size > (size_t)1 << 30 ? NULL : vdi_allocator_defaults(NULL).alloc_fn(size, align, NULL);
}
static inline void greedy_free(void *p, size_t size, size_t align, void *user) {
    (void)user;
    vdi_allocator_defaults(NULL).free_fn(p, size, align, NULL);
}
static inline vdi_allocator greedy_allocator_of(greedy_allocator *g) {
    vdi_allocator a;
    g->largest = 0;
    a.alloc_fn = greedy_alloc;
    a.free_fn = greedy_free;
    a.user = g;
    return a;
}
#endif
