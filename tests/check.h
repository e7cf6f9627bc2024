/* tests/check.h - the words that tests are written in, on Criterion or on a plain main
 *
 *     TEST(gemm, odd_sizes) {
 *         CHECK(x == 3, "x is %d", x);
 *         CHECK_CLOSE(y, 1.0, 1e-12);
 *     }
 *
 * Each file of tests/ is a Criterion suite; compiled with VDI_TEST_PORTABLE and linked with
 * tests/portable/main.c it runs where Criterion can't: under MSan and TSan, musl, qemu. Few tests
 * with loops inside are better than many tests: Criterion starts a process for each. A test that
 * needs recordings asks for them with NEED_SHARED and counts as skipped without them.
 */
#ifndef VDI_TESTS_CHECK_H
#define VDI_TESTS_CHECK_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vdi.h"

/* mingw's "printf" is Microsoft's, which knows neither %zu nor %Lg; its own does. */
#if defined(__MINGW32__) && !defined(__clang__)
#define CHECK_PRINTF gnu_printf
#else
#define CHECK_PRINTF printf
#endif

#ifdef VDI_TEST_PORTABLE
void check_register(const char *name, void (*run)(void));
void check_report(int ok, const char *file, int line, const char *condition, const char *format,
                  ...) __attribute__((format(CHECK_PRINTF, 5, 6)));
void check_skip(const char *why);
#define TEST(suite, name)                                                      \
    static void suite##_##name(void);                                          \
    __attribute__((constructor)) static void register_##suite##_##name(void) { \
        check_register(#suite "/" #name, suite##_##name);                      \
    }                                                                          \
    static void suite##_##name(void)
#define CHECK(condition, ...) \
    check_report(!!(condition), __FILE__, __LINE__, #condition, " " __VA_ARGS__)
#define SKIP(why)        \
    do {                 \
        check_skip(why); \
        return;          \
    } while (0)
#else
#include <criterion/criterion.h>
#define TEST(suite, name) Test(suite, name)
#define CHECK(condition, ...) cr_expect(condition, __VA_ARGS__)
#define SKIP(why) cr_skip_test(why)
#endif

/** |a - b| <= tol, and neither is NaN. */
#define CHECK_CLOSE(a, b, tol)                                                                \
    do {                                                                                      \
        double check_a = (double)(a), check_b = (double)(b), check_tol = (double)(tol);       \
        CHECK(fabs(check_a - check_b) <= check_tol,                                           \
              "%s = %.17g, expected %.17g, off by %.3g (allowed %.3g)", #a, check_a, check_b, \
              fabs(check_a - check_b), check_tol);                                            \
    } while (0)
/** A call that has to succeed, or to fail with that status. `err` is the vdi_error it filled. */
#define CHECK_OK(call, err)                                                                   \
    do {                                                                                      \
        vdi_status check_status = (call);                                                     \
        CHECK(check_status == VDI_OK, "%s gave %s: %s", #call, vdi_status_name(check_status), \
              (err).message);                                                                 \
    } while (0)
#define CHECK_FAILS(call, wanted)                                      \
    do {                                                               \
        vdi_status check_status = (call);                              \
        CHECK(check_status == (wanted), "%s gave %s, not %s", #call,   \
              vdi_status_name(check_status), vdi_status_name(wanted)); \
    } while (0)

/** The folder of recordings and references: VDI_SHARED, or ../shared. */
static inline const char *shared_path(const char *name) {
    static char path[1024];
    const char *root = getenv("VDI_SHARED");
    snprintf(path, sizeof path, "%s/%s", root ? root : "../shared", name);
    return path;
}
#define NEED_SHARED(name)                                  \
    do {                                                   \
        FILE *check_file = fopen(shared_path(name), "rb"); \
        if (!check_file) SKIP("needs " name);              \
        fclose(check_file);                                \
    } while (0)

/** For tests that learn something: under an emulator they would take minutes and show nothing about
 * the instruction set. */
#define NEED_NATIVE()                                                                              \
    do {                                                                                           \
        if (getenv("VDI_TEST_EMULATED")) SKIP("too long for an emulator or a thorough sanitizer"); \
    } while (0)

/** How much of a long test to do: n times VDI_TEST_SCALE (default 1), at least 1. Emulators and
 * sanitizers run 10 to 100 times
 *  slower, so `make check` sets 0.1 there. For numbers of repetitions and random cases, never for
 *  shapes that have to be covered. */
static inline size_t test_scaled(size_t n) {
    const char *scale = getenv("VDI_TEST_SCALE");
    double wanted = scale ? (double)n * atof(scale) : (double)n;
    return wanted < 1 ? 1 : (size_t)wanted;
}

/** Likewise for a loop over all combinations: is case number i (any count of one's own) one of
 * those to do? All of them at scale 1. */
static inline int test_chosen(size_t i) {
    const char *scale = getenv("VDI_TEST_SCALE");
    double share = (double)i * 0.6180339887498949;
    return !scale || share - floor(share) < atof(scale);
}

/** A small generator for test data, apart from the one under test. */
static inline double test_uniform(unsigned long long *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) / 9007199254740992.0;
}
static inline double test_normal(unsigned long long *state) {
    double u = test_uniform(state), v = test_uniform(state);
    return sqrt(-2 * log(u + 1e-300)) * cos(2 * VDI_PI * v);
}

/** The larger of two errors, and NaN if one of them is (fmax would lose it, and the test with
 * it). */
static inline double test_worst(double a, double b) {
    return isnan(a) || isnan(b) ? (double)NAN : a > b ? a : b;
}

/** The largest |a_i - b_i|; NaN if one of them is. */
static inline double largest_difference(const double *a, const double *b, int64_t n) {
    double m = 0;
    for (int64_t i = 0; i < n; i++) {
        double e = fabs(a[i] - b[i]);
        if (isnan(e)) return e;
        if (e > m) m = e;
    }
    return m;
}

/** For tests of failed allocations: fails the request number `fail_at` (from 1) and, if `forever`,
 * all later ones; counts what is out. */
typedef struct test_allocator {
    long requests, fail_at, live;
    int forever;
} test_allocator;
static inline void *test_alloc_fn(size_t size, size_t align, void *user) {
    test_allocator *t = (test_allocator *)user;
    vdi_allocator plain = vdi_allocator_defaults(NULL);
    t->requests++;
    if (t->fail_at && (t->requests == t->fail_at || (t->forever && t->requests > t->fail_at)))
        return NULL;
    t->live++;
    return plain.alloc_fn(size, align, NULL);
}
static inline void test_free_fn(void *p, size_t size, size_t align, void *user) {
    vdi_allocator plain = vdi_allocator_defaults(NULL);
    ((test_allocator *)user)->live--;
    plain.free_fn(p, size, align, NULL);
}
static inline vdi_allocator test_allocator_of(test_allocator *t) {
    vdi_allocator a;
    a.alloc_fn = test_alloc_fn;
    a.free_fn = test_free_fn;
    a.user = t;
    return a;
}
#endif
