/* tests/portable/main.c - runs the suites of tests/ without Criterion
 *
 *     portable [--simd NAME] [--expect NAME] [--at-least N] [--verbose] [--list] [FILTER...]
 *
 *     --simd NAME     run on that path (scalar, sse2, avx2, avx512, neon)
 *     --expect NAME   fail unless the path in use is that one: proves what was found, or set, is
 *                     what ran
 *     --at-least N    fail if fewer tests than N ran or were skipped: an empty run is no success
 *     FILTER          only tests whose "suite/name" contains it
 *
 * All tests share one process, so a crash ends the run; the name of the test it was in is then the
 * last line.
 */
#include "../check.h"
#include <signal.h>
#include <stdarg.h>
#include <time.h>

typedef struct check_test {
    const char *name;
    void (*run)(void);
} check_test;

static check_test tests[4096];
static size_t test_count;
static const char *current = "(before the first test)";
static const char *skipped_because;
static long failures;

void check_register(const char *name, void (*run)(void)) {
    if (test_count == sizeof tests / sizeof *tests) {
        fprintf(stderr, "tests/portable/main.c has no space for %s\n", name);
        exit(2);
    }
    tests[test_count].name = name;
    tests[test_count++].run = run;
}

void check_report(int ok, const char *file, int line, const char *condition, const char *format,
                  ...) {
    va_list args;
    if (ok) return;
    if (++failures > 20) return; /* a broken loop should not print a thousand lines */
    printf("  %s:%d: %s:", file, line, condition);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

void check_skip(const char *why) { skipped_because = why; }

static void crashed(int sig) {
    printf("FAIL %s: crashed, signal %d\n", current, sig);
    fflush(stdout);
    signal(sig, SIG_DFL);
    raise(sig);
}

static vdi_simd simd_of(const char *name) {
    for (int i = 0; i < VDI_SIMD_COUNT; i++)
        if (!strcmp(vdi_simd_name((vdi_simd)i), name)) return (vdi_simd)i;
    fprintf(stderr, "no SIMD path is called %s\n", name);
    exit(2);
}

static int chosen(const char *name, char **filters, int count) {
    for (int i = 0; i < count; i++)
        if (strstr(name, filters[i])) return 1;
    return count == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const check_test *)a)->name, ((const check_test *)b)->name);
}

typedef struct options {
    const char *simd, *expect;
    long at_least;
    bool verbose, list;
    char **filters;
    int filter_count;
} options;

static options options_of(int argc, char **argv) {
    options o = {NULL, NULL, 1, false, false, NULL, 0};
    int i = 1;
    for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
        if (!strcmp(argv[i], "--verbose")) {
            o.verbose = true;
        } else if (!strcmp(argv[i], "--list")) {
            o.list = true;
        } else if (!strcmp(argv[i], "--simd") && i + 1 < argc) {
            o.simd = argv[++i];
        } else if (!strcmp(argv[i], "--expect") && i + 1 < argc) {
            o.expect = argv[++i];
        } else if (!strcmp(argv[i], "--at-least") && i + 1 < argc) {
            o.at_least = atol(argv[++i]);
        } else {
            fprintf(stderr,
                    "usage: %s [--simd NAME] [--expect NAME] [--at-least N] [--verbose] [--list] "
                    "[FILTER...]\n",
                    argv[0]);
            exit(2);
        }
    }
    o.filters = argv + i;
    o.filter_count = argc - i;
    return o;
}

/* Chooses the path that was asked for, and says which it is. */
static vdi_simd choose_path(const options *o) {
    vdi_simd path = o->simd ? simd_of(o->simd) : VDI_SIMD_AUTO;
    if (vdi_simd_set(path) != VDI_OK) {
        printf("the path %s is not available here\n", o->simd);
        exit(1);
    }
    path = vdi_simd_active();
    printf("vdi %s, path %s of", VDI_VERSION, vdi_simd_name(path));
    for (int s = 1; s < VDI_SIMD_COUNT; s++)
        if (vdi_simd_available((vdi_simd)s)) printf(" %s", vdi_simd_name((vdi_simd)s));
    printf("\n");
    if (o->expect && path != simd_of(o->expect)) {
        printf("expected the path %s\n", o->expect);
        exit(1);
    }
    return path;
}

typedef enum outcome { PASSED, FAILED, SKIPPED, OUTCOMES } outcome;

static outcome run_test(const check_test *test, vdi_simd path, bool verbose) {
    current = test->name;
    skipped_because = NULL;
    failures = 0;
    clock_t start = clock();
    test->run();
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (vdi_simd_set(path) != VDI_OK || vdi_simd_active() != path) {
        /* a test may change the path for itself alone */
        printf("  %s left the path %s for good\n", current, vdi_simd_name(path));
        failures++;
    }
    if (failures) {
        printf("FAIL %s: %ld checks failed (%.1f s)\n", current, failures, seconds);
        return FAILED;
    }
    if (skipped_because) {
        printf("skip %s: %s\n", current, skipped_because);
        return SKIPPED;
    }
    if (verbose || seconds > 5) printf("ok   %s (%.1f s)\n", current, seconds);
    return PASSED;
}

int main(int argc, char **argv) {
    const options o = options_of(argc, argv);
    long count[OUTCOMES] = {0};
    qsort(tests, test_count, sizeof *tests, by_name);
    if (o.list) {
        for (size_t t = 0; t < test_count; t++)
            puts(tests[t].name);
        return 0;
    }
    signal(SIGSEGV, crashed);
    signal(SIGFPE, crashed);
    signal(SIGILL, crashed);
    signal(SIGABRT, crashed);
    const vdi_simd path = choose_path(&o);
    for (size_t t = 0; t < test_count; t++) {
        if (!chosen(tests[t].name, o.filters, o.filter_count)) continue;
        count[run_test(&tests[t], path, o.verbose)]++;
        fflush(stdout);
    }
    const long ran = count[PASSED] + count[FAILED] + count[SKIPPED];
    if (ran < o.at_least) printf("only %ld tests, at least %ld expected\n", ran, o.at_least);
    printf("%ld passed, %ld failed, %ld skipped\n", count[PASSED], count[FAILED], count[SKIPPED]);
    return count[FAILED] || ran < o.at_least;
}
