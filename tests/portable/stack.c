/* tests/portable/stack.c - how much stack each public call takes, while the tests run
 *
 * The library, compiled with -finstrument-functions, calls the two functions below at the begin and
 * the end of each of its own. The first that a thread enters is a public call (or the job of a
 * pool): the lowest address of a frame beneath it is what the call took, callbacks and all. At the
 * end of the program the largest are printed, and more than VDI_STACK_LIMIT bytes fail it. Linked
 * into the portable suite by the step `stack` of scripts/check.sh.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PLACES = 8192, SHOWN = 8 };
typedef struct call {
    void *function, *deepest; /* the function whose frame lies lowest */
    size_t bytes;
} call;
static call calls[PLACES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

typedef struct thread_state {
    void *outer, *deepest;
    long depth;
    uintptr_t begin, lowest;
} thread_state;
static __thread thread_state now;

void __cyg_profile_func_enter(void *function, void *site);
void __cyg_profile_func_exit(void *function, void *site);

static void remember(void) {
    const size_t bytes = now.begin - now.lowest;
    size_t i = ((uintptr_t)now.outer >> 4) % PLACES;
    pthread_mutex_lock(&lock);
    while (calls[i].function && calls[i].function != now.outer)
        i = (i + 1) % PLACES;
    calls[i].function = now.outer;
    if (bytes > calls[i].bytes) {
        calls[i].bytes = bytes;
        calls[i].deepest = now.deepest;
    }
    pthread_mutex_unlock(&lock);
}

/* The frame of the caller ends where that of this function begins. */
void __cyg_profile_func_enter(void *function, void *site) {
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    (void)site;
    if (now.depth++ == 0) {
        now.outer = function;
        /* the stack of its caller ends above the return address */
        now.begin = (uintptr_t)__builtin_frame_address(1);
        now.lowest = here;
        now.deepest = function;
    }
    if (here < now.lowest) {
        now.lowest = here;
        now.deepest = function;
    }
}

void __cyg_profile_func_exit(void *function, void *site) {
    (void)function;
    (void)site;
    if (--now.depth == 0) remember();
}

static int by_size(const void *a, const void *b) {
    const size_t x = ((const call *)a)->bytes, y = ((const call *)b)->bytes;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Its name, or where it lies in the program if it is a static one (addr2line -f knows). */
static const char *name_of(void *function, char text[24]) {
    Dl_info info = {0};
    if (dladdr(function, &info) && info.dli_sname) return info.dli_sname;
    snprintf(text, 24, "%#lx", (unsigned long)((char *)function - (char *)info.dli_fbase));
    return text;
}

__attribute__((destructor)) static void report(void) {
    const char *text = getenv("VDI_STACK_LIMIT");
    const size_t limit = text ? strtoul(text, NULL, 10) : 32768;
    size_t count = 0;
    for (size_t i = 0; i < PLACES; i++)
        count += calls[i].function != NULL;
    qsort(calls, PLACES, sizeof *calls, by_size);
    printf("stack: %zu calls, at most %zu bytes of %zu\n", count, calls[0].bytes, limit);
    for (size_t i = 0; i < PLACES && (i < SHOWN || calls[i].bytes > limit) && calls[i].bytes; i++) {
        char outer[24], deepest[24];
        printf("%7zu %s (down to %s)%s\n", calls[i].bytes, name_of(calls[i].function, outer),
               name_of(calls[i].deepest, deepest),
               calls[i].bytes > limit ? " MORE THAN ALLOWED" : "");
    }
    fflush(stdout);
    if (count == 0 || calls[0].bytes > limit) _exit(1);
}
