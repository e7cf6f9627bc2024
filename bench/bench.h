/* bench/bench.h - how vdi is timed against its peers
 *
 * A program of bench/ asks one question ("gemm", "blocktri" ...). It describes rows, and each row
 * is run and printed at once:
 *
 *     bench_begin("gemm", argc, argv);
 *     bench_row("f32 n=64", BENCH_GFLOPS, 2.0 * 64 * 64 * 64);   what one call is worth
 *     bench_vdi(my_vdi_call, &context);
 *     bench_limit("FMA peak", bench_peak_f32, ...);              what the machine could do
 *     bench_blas(my_blas_call, &context);                        only with --peers
 *     bench_bar_ratio("OpenBLAS", 0.97);
 *     bench_run();
 *     return bench_end();
 *
 * Method. Times are CPU time of the thread, so what other programs take from the core is not
 * counted. A row is measured in rounds: vdi, limit, peer, peer, then vdi again ...; a contestant's
 * figure of a round is the second smallest of several samples. Printed are the best round of each,
 * and as ratio the median over rounds of (peer's time / vdi's time in the same round): above 1, vdi
 * is faster.
 *
 * Peers. OpenBLAS reads its environment when it is loaded, so it lives in child processes: this
 * same program, started again and run in lock step, once for each core type that this processor can
 * run (its own choice, Haswell, SkylakeX, Cooperlake, Zen; and the environment as it is, where
 * OPENBLAS_CORETYPE or OPENBLAS_L2_SIZE is set); vdi is compared with the fastest. A child that
 * finds itself on the kernels for Prescott, its choice for processors that it does not know, is
 * left out. BLASFEO is loaded from the path in the variable BLASFEO. Python peers are served by
 * peers.py. Nothing is linked: a peer that is not installed is left out.
 *
 * Options: --peers, --quick (few rounds, for a smoke test), --out DIR (default build/bench), --only
 * TEXT (rows whose name has it).
 * Not a library: everything is static, one program is one file that includes this one. POSIX and
 * gcc or clang.
 */
#ifndef BENCH_H
#define BENCH_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vdi.h"
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BENCH_FN VDI__UNUSED static
typedef void bench_fn(void *ctx);

/* What the figure of a row means. A rate is better when high, a time when low. */
typedef enum bench_unit { BENCH_GFLOPS, BENCH_NS, BENCH_US, BENCH_MS } bench_unit;
static const char *const bench_unit_names[] = {"GFLOP/s", "ns", "us", "ms"};

enum { BENCH_MAX_ROUNDS = 32, BENCH_MAX_PEERS = 12, BENCH_MAX_BARS = 6, BENCH_CORES = 6 };

/* A child process that measures when asked: "s" on its input gives a line with seconds per call on
 * its output. */
typedef struct bench_child {
    const char *name;
    char version[96];
    char core[32]; /* OpenBLAS: the kernels it uses */
    pid_t pid;
    FILE *to, *from;
} bench_child;

typedef struct bench_contestant {
    char name[48];  /* what is printed */
    char group[24]; /* "OpenBLAS" for all of its core types: bars compare with the fastest of a
                       group */
    bench_fn *fn;   /* measured here ... */
    void *ctx;
    bench_child *child;            /* ... or there */
    char request[64];              /* for children that are asked by name */
    long inner;                    /* calls per sample */
    double time[BENCH_MAX_ROUNDS]; /* seconds per call, best sample of each round; < 0 where it
                                      failed */
    double best;
} bench_contestant;

typedef enum bench_bar_kind { BENCH_BAR_RATIO, BENCH_BAR_SHARE, BENCH_BAR_FIGURE } bench_bar_kind;
typedef struct bench_bar {
    bench_bar_kind kind;
    char peer[24];
    double value, scaled;
    bool aim; /* hoped for, not demanded */
} bench_bar;

static struct bench_state {
    const char *question, *out;
    const char *only;
    const char *self; /* argv[0] */
    bool peers, quick, serving;
    int rounds;
    double round_seconds;
    FILE *md, *json;
    int rows, missed, failed;
    char notes[8192]; /* of all rows, for the page */
    bench_child blas[BENCH_CORES], python[2];
    int blas_count, python_count;
    bool blas_tried, python_tried;
    /* the row under construction */
    char row[112], note[160], limit_name[32];
    bool skip;
    bench_unit unit;
    double work;        /* flops of a call for GFLOP/s, else by how much the time of a call is
                           divided */
    double limit_scale; /* time of the limit's call -> time that the row's call would take at the
                           limit */
    bench_contestant vdi, limit, peer[BENCH_MAX_PEERS];
    int peer_count, bar_count;
    bool has_limit;
    bench_bar bar[BENCH_MAX_BARS];
} bench;

/* ---- small things ---------------------------------------------------------------------------- */

BENCH_FN double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

BENCH_FN void bench_die(const char *what) {
    fprintf(stderr, "bench %s: %s\n", bench.question ? bench.question : "", what);
    exit(1);
}

/* Page-aligned, touched. Never freed: a bench program is short. */
BENCH_FN void *bench_alloc(size_t size) {
    void *p = NULL;
    if (posix_memalign(&p, 4096, (size + 4095) / 4096 * 4096)) bench_die("out of memory");
    memset(p, 0, size);
    return p;
}

BENCH_FN int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
BENCH_FN double bench_median(const double *x, int n) {
    double t[BENCH_MAX_ROUNDS];
    memcpy(t, x, (size_t)n * sizeof *t);
    qsort(t, (size_t)n, sizeof *t, bench_compare);
    return n == 0 ? 0 : n % 2 ? t[n / 2] : 0.5 * (t[n / 2 - 1] + t[n / 2]);
}

/* Uniform on [lo,hi); a fixed stream (xorshift, Marsaglia 2003), so that every contestant and run
 * works on the same numbers. */
static uint64_t bench_rng = 88172645463325252u;
BENCH_FN double bench_random(double lo, double hi) {
    bench_rng ^= bench_rng << 13;
    bench_rng ^= bench_rng >> 7;
    bench_rng ^= bench_rng << 17;
    return lo + (hi - lo) * ((double)(bench_rng >> 11) / 9007199254740992.0);
}
BENCH_FN void *bench_array(vdi_dtype dtype, size_t n, double lo, double hi) {
    void *p = bench_alloc(n * vdi_dtype_size(dtype) + 64);
    for (size_t i = 0; i < n; i++) {
        if (dtype == VDI_F32)
            ((float *)p)[i] = (float)bench_random(lo, hi);
        else
            ((double *)p)[i] = bench_random(lo, hi);
    }
    return p;
}
BENCH_FN double bench_get(vdi_dtype dtype, const void *p, size_t i) {
    return dtype == VDI_F32 ? ((const float *)p)[i] : ((const double *)p)[i];
}
BENCH_FN const char *bench_dtype(vdi_dtype dtype) { return dtype == VDI_F32 ? "f32" : "f64"; }

/* A result that is off means that the times beside it are worth nothing. */
BENCH_FN void bench_check(bool ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "bench %s, row \"%s\": wrong result: %s\n", bench.question, bench.row, what);
    bench.failed++;
}

/* ---- the machine's limits -------------------------------------------------------------------- */

/* FMA peak: independent chains in registers, written in assembly so that no compiler can spoil
 * them; several chain counts and widths are tried, and the fastest is the peak. One call does
 * bench_peak_flops flops. */
typedef void bench_peak_fn(long loops);
typedef struct bench_peak_variant {
    const char *name;
    bench_peak_fn *fn;
    int chains, lanes; /* of one loop: two rounds of `chains` vectors of `lanes` */
} bench_peak_variant;

#if defined(__x86_64__)
#define BENCH_8(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#define BENCH_10(F) BENCH_8(F) F(8) F(9)
#define BENCH_12(F) BENCH_10(F) F(10) F(11)
#define BENCH_14(F) BENCH_12(F) F(12) F(13)
#define BENCH_CLOBBER                                                                        \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc"
#define BENCH_PEAK(name, isa, F, Z, broadcast, reg, list, type)                                    \
    __attribute__((target(isa), noinline)) static void name(long loops) {                          \
        static const type a = (type)1.0001, b = (type)1e-7;                                        \
        __asm__ volatile(list(Z) broadcast " %1, %%" reg "14\n\t" broadcast " %2, %%" reg "15\n\t" \
                                           ".p2align 5\n1:\n\t" list(F)                            \
                                               list(F) "dec %0\n\tjnz 1b\n\tvzeroupper\n\t"        \
                         : "+r"(loops)                                                             \
                         : "m"(a), "m"(b)                                                          \
                         : BENCH_CLOBBER);                                                         \
    }
#define BENCH_Z(i) "vpxor %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n\t"
#define BENCH_F32_512(i) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" #i "\n\t"
#define BENCH_F64_512(i) "vfmadd231pd %%zmm14, %%zmm15, %%zmm" #i "\n\t"
#define BENCH_F32_256(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n\t"
#define BENCH_F64_256(i) "vfmadd231pd %%ymm14, %%ymm15, %%ymm" #i "\n\t"
#define BENCH_PEAKS(n)                                                                            \
    BENCH_PEAK(bench_peak_f32_512_##n, "avx512f", BENCH_F32_512, BENCH_Z, "vbroadcastss", "zmm",  \
               BENCH_##n, float)                                                                  \
    BENCH_PEAK(bench_peak_f64_512_##n, "avx512f", BENCH_F64_512, BENCH_Z, "vbroadcastsd", "zmm",  \
               BENCH_##n, double)                                                                 \
    BENCH_PEAK(bench_peak_f32_256_##n, "avx2,fma", BENCH_F32_256, BENCH_Z, "vbroadcastss", "ymm", \
               BENCH_##n, float)                                                                  \
    BENCH_PEAK(bench_peak_f64_256_##n, "avx2,fma", BENCH_F64_256, BENCH_Z, "vbroadcastsd", "ymm", \
               BENCH_##n, double)
BENCH_PEAKS(8)
BENCH_PEAKS(10)
BENCH_PEAKS(12)
BENCH_PEAKS(14)
#define BENCH_VARIANTS(type, lanes512)                                          \
    {"512 bit, 8 chains", bench_peak_##type##_512_8, 8, lanes512},              \
        {"512 bit, 10 chains", bench_peak_##type##_512_10, 10, lanes512},       \
        {"512 bit, 12 chains", bench_peak_##type##_512_12, 12, lanes512},       \
        {"512 bit, 14 chains", bench_peak_##type##_512_14, 14, lanes512},       \
        {"256 bit, 8 chains", bench_peak_##type##_256_8, 8, lanes512 / 2},      \
        {"256 bit, 10 chains", bench_peak_##type##_256_10, 10, lanes512 / 2},   \
        {"256 bit, 12 chains", bench_peak_##type##_256_12, 12, lanes512 / 2}, { \
        "256 bit, 14 chains", bench_peak_##type##_256_14, 14, lanes512 / 2      \
    }
static const bench_peak_variant bench_peak_variants[2][8] = {{BENCH_VARIANTS(f32, 16)},
                                                             {BENCH_VARIANTS(f64, 8)}};
BENCH_FN bool bench_peak_runs(const bench_peak_variant *v) {
    return v->name[0] == '5' ? __builtin_cpu_supports("avx512f") != 0
                             : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
/* The compiler's own vectors of 128 bits, contracted to FMAs where the machine has them. */
typedef float bench_v4f __attribute__((vector_size(16)));
typedef double bench_v2d __attribute__((vector_size(16)));
#define BENCH_PEAK(name, type, scalar)                        \
    __attribute__((noinline)) static void name(long loops) {  \
        type x = {(scalar)1.0001}, y = {(scalar)1e-7}, a[16]; \
        memset(a, 0, sizeof a);                               \
        __asm__ volatile("" : "+w"(x), "+w"(y));              \
        for (; loops > 0; loops--) {                          \
            for (int i = 0; i < 16; i++) {                    \
                a[i] = x * y + a[i];                          \
                a[i] = x * y + a[i];                          \
            }                                                 \
        }                                                     \
        for (int i = 0; i < 16; i++)                          \
            __asm__ volatile("" : : "w"(a[i]));               \
    }
BENCH_PEAK(bench_peak_f32_128, bench_v4f, float)
BENCH_PEAK(bench_peak_f64_128, bench_v2d, double)
static const bench_peak_variant bench_peak_variants[2][1] = {
    {{"128 bit, 16 chains", bench_peak_f32_128, 16, 4}},
    {{"128 bit, 16 chains", bench_peak_f64_128, 16, 2}}};
BENCH_FN bool bench_peak_runs(const bench_peak_variant *v) { return v->fn != NULL; }
#endif

enum { BENCH_PEAK_LOOPS = 20000 }; /* about 0.1 to 0.2 ms */
static const bench_peak_variant *bench_peak_best[2];
/* at the start, to scale bars by; each row measures it again beside itself */
BENCH_FN double bench_peak_gflops[2];
BENCH_FN double bench_peak_flops(vdi_dtype dtype) {
    const bench_peak_variant *v = bench_peak_best[dtype == VDI_F64];
    return 2.0 * 2.0 * v->chains * v->lanes * BENCH_PEAK_LOOPS;
}
BENCH_FN void bench_peak_call(void *ctx) {
    ((const bench_peak_variant *)ctx)->fn(BENCH_PEAK_LOOPS);
}

/* Rounds outside, so that a slow moment hits all variants alike; the second smallest time, see
 * bench_measure_here. */
BENCH_FN void bench_peak_find(void) {
    enum { VARIANTS = VDI__COUNT(bench_peak_variants[0]) };
    double best[2][VARIANTS], second[2][VARIANTS];
    for (int r = 0; r < (bench.quick ? 10 : 40); r++) {
        for (int q = 0; q < 2; q++) {
            for (int i = 0; i < VARIANTS; i++) {
                const bench_peak_variant *v = &bench_peak_variants[q][i];
                if (r == 0) best[q][i] = second[q][i] = 1e30;
                if (!bench_peak_runs(v)) continue;
                double t = bench_now();
                v->fn(BENCH_PEAK_LOOPS);
                t = bench_now() - t;
                if (t < best[q][i]) {
                    second[q][i] = best[q][i];
                    best[q][i] = t;
                } else if (t < second[q][i]) {
                    second[q][i] = t;
                }
            }
        }
    }
    for (int q = 0; q < 2; q++) {
        for (int i = 0; i < VARIANTS; i++) {
            const bench_peak_variant *v = &bench_peak_variants[q][i];
            double g = 4e-9 * v->chains * v->lanes * BENCH_PEAK_LOOPS / second[q][i];
            if (g > bench_peak_gflops[q] && second[q][i] < 1e29) {
                bench_peak_gflops[q] = g;
                bench_peak_best[q] = v;
            }
        }
    }
    if (!bench_peak_best[0] || !bench_peak_best[1])
        bench_die("no peak loop runs on this machine (x86 needs AVX2 and FMA)");
}

/* ---- measuring ------------------------------------------------------------------------------- */

BENCH_FN double bench_sample(bench_fn *fn, void *ctx, long inner) {
    double t = bench_now();
    for (long i = 0; i < inner; i++)
        fn(ctx);
    return (bench_now() - t) / (double)inner;
}

/* Calls per sample so that one lasts about 0.4 ms: long against the clock's resolution, short
 * against a time slice. */
BENCH_FN void bench_calibrate(bench_contestant *c) {
    c->inner = 1;
    (void)bench_sample(c->fn, c->ctx, 1); /* page faults, start-up of libraries */
    while (c->inner < 1L << 28) {
        double t = bench_sample(c->fn, c->ctx, c->inner);
        double again = bench_sample(c->fn, c->ctx, c->inner);
        t = (t < again ? t : again) * (double)c->inner;
        if (t >= 2e-4) break;
        c->inner *= t < 2e-5 ? 8 : 2;
    }
}

/* The second smallest of the samples: a virtual machine's clock is now and then caught too early,
 * and the smallest would believe it. */
BENCH_FN double bench_measure_here(bench_contestant *c) {
    if (!c->inner) bench_calibrate(c);
    double best = 1e30, second = 1e30, spent = 0;
    for (int i = 0; i < 400 && (spent < bench.round_seconds || i < 3); i++) {
        double t = bench_sample(c->fn, c->ctx, c->inner);
        spent += t * (double)c->inner;
        if (t < best) {
            second = best;
            best = t;
        } else if (t < second) {
            second = t;
        }
    }
    return second;
}

BENCH_FN double bench_measure(bench_contestant *c) {
    double t = -1;
    if (!c->child) return bench_measure_here(c);
    char line[128];
    if (!c->child->to) return -1;
    if (c->request[0])
        fprintf(c->child->to, "%s %.3f\n", c->request, bench.round_seconds);
    else
        fputs("s\n", c->child->to);
    fflush(c->child->to);
    if (!fgets(line, sizeof line, c->child->from) || sscanf(line, "%lf", &t) != 1) {
        fprintf(stderr, "bench %s: %s stopped answering: it is left out from here on\n",
                bench.question, c->child->name);
        c->child->to = NULL;
        return -1;
    }
    return t;
}

/* ---- children -------------------------------------------------------------------------------- */

/* `unset`: without what the environment says to OpenBLAS; `core`: then its core type, or NULL. */
BENCH_FN bool bench_child_start(bench_child *child, const char *name, char *const argv[],
                                bool unset, const char *core) {
    int in[2], out[2];
    char line[96] = "";
    memset(child, 0, sizeof *child);
    child->name = name;
    if (pipe(in) || pipe(out)) return false;
    fflush(NULL);
    child->pid = fork();
    if (child->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        for (int i = 3; i < 64; i++)
            close(i);
        if (unset) {
            unsetenv("OPENBLAS_CORETYPE");
            unsetenv("OPENBLAS_L2_SIZE");
        }
        if (core) setenv("OPENBLAS_CORETYPE", core, 1);
        setenv("OPENBLAS_NUM_THREADS", "1", 1);
        setenv("OMP_NUM_THREADS", "1", 1);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    if (child->pid < 0) return false;
    child->to = fdopen(in[1], "w");
    child->from = fdopen(out[0], "r");
    /* the first line says what it is: "ready VERSION", or why not */
    if (!fgets(line, sizeof line, child->from)) snprintf(line, sizeof line, "no answer");
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "ready", 5)) {
        fprintf(stderr, "bench: no %s%s%s (%s)\n", name, core ? " " : "", core ? core : "", line);
        fclose(child->to);
        fclose(child->from);
        child->to = child->from = NULL;
        waitpid(child->pid, NULL, 0);
        return false;
    }
    snprintf(child->version, sizeof child->version, "%s", line + 6);
    return true;
}

BENCH_FN void bench_child_stop(bench_child *child) {
    if (child->to) fclose(child->to);
    if (child->from) fclose(child->from);
    if (child->pid > 0) waitpid(child->pid, NULL, 0);
}

BENCH_FN bool bench_env_is_tuned(void) {
    return getenv("OPENBLAS_CORETYPE") || getenv("OPENBLAS_L2_SIZE");
}

/* OpenBLAS itself, only ever loaded in a child. */
BENCH_FN void *bench_blas_library;
BENCH_FN void *bench_blas_symbol(const char *name) {
    if (!bench.serving) return NULL;
    void *p = dlsym(bench_blas_library, name);
    if (!p) bench_die(name);
    return p;
}
BENCH_FN bool bench_blas_load(void) {
    static const char *const names[] = {"libopenblas.so.0", "libopenblas.so"};
    for (size_t i = 0; i < VDI__COUNT(names) && !bench_blas_library; i++)
        bench_blas_library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return bench_blas_library != NULL;
}
/* "ready VERSION CORE", or the core that would flatter whoever is compared with it. A core type
 * that this processor cannot run ends the child here. */
BENCH_FN void bench_blas_ready(void) {
    typedef void dgemm_fn(int, int, int, int, int, int, double, const double *, int, const double *,
                          int, double, double *, int);
    dgemm_fn *dgemm = (dgemm_fn *)bench_blas_symbol("cblas_dgemm");
    char *(*get_core)(void) = (char *(*)(void))dlsym(bench_blas_library, "openblas_get_corename");
    char *(*config)(void) = (char *(*)(void))dlsym(bench_blas_library, "openblas_get_config");
    char text[64] = "";
    const char *core = get_core ? get_core() : "unknown";
    enum { N = 33 };
    double *a = (double *)bench_array(VDI_F64, (size_t)N * N, 0, 1);
    double *c = (double *)bench_array(VDI_F64, (size_t)N * N, 0, 1);
    if (config) sscanf(config(), "%*s %60s", text);
    dgemm(101, 111, 112, N, N, N, 1, a, N, a, N, 0, c, N);
    if (!strcmp(core, "Prescott")) {
        puts("it does not know this processor and takes Prescott");
        exit(0);
    }
    printf("ready %s %s\n", text, core);
    fflush(stdout);
}

/* BLASFEO: a function of the library that the environment's BLASFEO names, or NULL without it. */
BENCH_FN void *bench_blasfeo_symbol(const char *name) {
    static void *library;
    const char *path = getenv("BLASFEO");
    if (!path || bench.serving || !bench.peers) return NULL;
    if (!library) library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) bench_die(dlerror());
    void *p = dlsym(library, name);
    if (!p) bench_die(name);
    return p;
}

/* ---- a question ------------------------------------------------------------------------------ */

BENCH_FN void bench_describe_machine(char *buf, size_t size) {
    char model[96] = "unknown processor", line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    int family = -1, number = -1;
    while (f && fgets(line, sizeof line, f)) {
        char *v = strchr(line, ':');
        if (!v) continue;
        v += 2;
        v[strcspn(v, "\n")] = 0;
        if (!strncmp(line, "model name", 10))
            snprintf(model, sizeof model, "%s", v);
        else if (!strncmp(line, "cpu family", 10))
            family = atoi(v);
        else if (!strncmp(line, "model\t", 6))
            number = atoi(v);
    }
    if (f) fclose(f);
    snprintf(buf, size,
             "%s (family %d, model %d), %ld processors, L2 %ld KiB, L3 %ld KiB; FMA peak f32 %.0f "
             "(%s), f64 %.0f GFLOP/s (%s); vdi path %s; %s",
             model, family, number, sysconf(_SC_NPROCESSORS_ONLN),
             sysconf(_SC_LEVEL2_CACHE_SIZE) / 1024, sysconf(_SC_LEVEL3_CACHE_SIZE) / 1024,
             bench_peak_gflops[0], bench_peak_best[0]->name, bench_peak_gflops[1],
             bench_peak_best[1]->name, vdi_simd_name(vdi_simd_active()),
#if defined(__clang__)
             "clang " __clang_version__
#else
             "gcc " __VERSION__
#endif
    );
}

BENCH_FN void bench_begin(const char *question, int argc, char **argv) {
    char path[512], machine[512];
    memset(&bench, 0, sizeof bench);
    bench.question = question;
    bench.self = argv[0];
    bench.out = "build/bench";
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--peers"))
            bench.peers = true;
        else if (!strcmp(argv[i], "--quick"))
            bench.quick = true;
        else if (!strcmp(argv[i], "--serve"))
            bench.serving = true; /* a child of this very program */
        else if (!strcmp(argv[i], "--out") && i + 1 < argc)
            bench.out = argv[++i];
        else if (!strcmp(argv[i], "--only") && i + 1 < argc)
            bench.only = argv[++i];
        else
            bench_die("options: --peers --quick --out DIR --only TEXT");
    }
    bench.rounds = bench.quick ? 3 : 11;
    bench.round_seconds = bench.quick ? 0.002 : 0.008;
    signal(SIGPIPE, SIG_IGN);
    if (bench.serving) {
        if (!bench_blas_load()) {
            puts("libopenblas.so.0 is not installed");
            exit(0);
        }
        bench_blas_ready();
        return;
    }
    bench_peak_find();
    snprintf(path, sizeof path, "mkdir -p '%s'", bench.out);
    if (system(path)) bench_die("cannot make the output directory");
    snprintf(path, sizeof path, "%s/%s.md", bench.out, question);
    bench.md = fopen(path, "w");
    snprintf(path, sizeof path, "%s/%s.json", bench.out, question);
    bench.json = fopen(path, "w");
    if (!bench.md || !bench.json) bench_die("cannot write the output files");
    bench_describe_machine(machine, sizeof machine);
    printf("== %s ==\n%s\n", question, machine);
    fprintf(bench.md, "### %s\n\n%s.", question, machine);
    fprintf(bench.json, "{\"question\": \"%s\",\n \"machine\": \"%s\",\n", question, machine);
    fprintf(bench.json, " \"peak_gflops\": {\"f32\": %.2f, \"f64\": %.2f},\n \"rows\": [",
            bench_peak_gflops[0], bench_peak_gflops[1]);
    fprintf(bench.md, "\n\n| case | vdi | of the limit | vdi is faster than |\n"
                      "| --- | --- | --- | --- |\n");
}

/* The children are started when the first row asks for them; that row is then also the first at
 * which a BLAS child waits. */
BENCH_FN void bench_blas_start(void) {
#if defined(__x86_64__)
    const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool wide = __builtin_cpu_supports("avx512f") != 0;
#else
    const bool fma = false;
    const bool wide = false;
#endif
    const struct {
        const char *name; /* NULL: its own choice */
        bool unset, runs;
    } cores[BENCH_CORES] = {{NULL, true, true},       {"Haswell", true, fma},
                            {"SkylakeX", true, wide}, {"Cooperlake", true, wide},
                            {"Zen", true, fma},       {NULL, false, bench_env_is_tuned()}};
    char *argv[] = {(char *)bench.self, (char *)"--serve", NULL, NULL, NULL, NULL};
    int n = 2;
    bench.blas_tried = true;
    if (bench.quick) argv[n++] = (char *)"--quick";
    if (bench.only) {
        argv[n++] = (char *)"--only";
        argv[n++] = (char *)bench.only;
    }
    for (size_t i = 0; i < VDI__COUNT(cores); i++) {
        bench_child *child = &bench.blas[bench.blas_count];
        bool again = false;
        if (!cores[i].runs) continue;
        if (!bench_child_start(child, "OpenBLAS", argv, cores[i].unset, cores[i].name)) continue;
        const char *core = strrchr(child->version, ' ');
        snprintf(child->core, sizeof child->core, "%s", core ? core + 1 : "");
        for (int k = 0; k < bench.blas_count && cores[i].unset; k++)
            again = again || !strcmp(bench.blas[k].core, child->core);
        if (again) {
            bench_child_stop(child);
            continue;
        }
        printf("%s: %s\n", child->name, child->version);
        bench.blas_count++;
    }
}

BENCH_FN void bench_python_start(void) {
    static const char here[] = __FILE__; /* peers.py lies beside this file */
    char script[512];
    const char *python = getenv("BENCH_PYTHON"), *slash = strrchr(here, '/');
    bench.python_tried = true;
    snprintf(script, sizeof script, "%.*speers.py", slash ? (int)(slash + 1 - here) : 0, here);
    char *argv[] = {(char *)(python ? python : "/usr/bin/python3"), script, (char *)bench.question,
                    NULL};
    if (bench_child_start(&bench.python[0], "Python", argv, bench_env_is_tuned(), NULL))
        bench.python_count = 1;
    if (bench.python_count && bench_env_is_tuned() &&
        bench_child_start(&bench.python[1], "Python (env)", argv, false, NULL))
        bench.python_count = 2;
    for (int i = 0; i < bench.python_count; i++)
        printf("%s: %s\n", bench.python[i].name, bench.python[i].version);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* `work`: for GFLOP/s the flops of a call, else how many things (elements, blocks, nodes) a call
 * does. False: the row is left out. */
BENCH_FN bool bench_row(const char *name, bench_unit unit, double work) {
    snprintf(bench.row, sizeof bench.row, "%s", name);
    bench.note[0] = 0;
    bench.unit = unit;
    bench.work = work;
    bench.peer_count = bench.bar_count = 0;
    bench.has_limit = false;
    memset(&bench.vdi, 0, sizeof bench.vdi);
    bench.skip = bench.only && !strstr(name, bench.only);
    return !bench.skip;
}

BENCH_FN void bench_contestant_set(bench_contestant *c, const char *name, const char *group,
                                   bench_fn *fn, void *ctx) {
    memset(c, 0, sizeof *c);
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->group, sizeof c->group, "%s", group);
    c->fn = fn;
    c->ctx = ctx;
}

BENCH_FN void bench_vdi(bench_fn *fn, void *ctx) {
    bench_contestant_set(&bench.vdi, "vdi", "vdi", fn, ctx);
}

/* The row's limit: `scale` calls of fn would take as long as one call of the row takes at best. */
BENCH_FN void bench_limit(const char *name, bench_fn *fn, void *ctx, double scale) {
    bench_contestant_set(&bench.limit, name, name, fn, ctx);
    snprintf(bench.limit_name, sizeof bench.limit_name, "%s", name);
    bench.limit_scale = scale;
    bench.has_limit = true;
}
/* The FMA peak as limit of a call that does `flops`. */
BENCH_FN void bench_limit_flops(vdi_dtype dtype, double flops) {
    if (bench.serving) return;
    bench_limit("FMA peak", bench_peak_call,
                (void *)(uintptr_t)(const void *)bench_peak_best[dtype == VDI_F64],
                flops / bench_peak_flops(dtype));
}

/* A peer that is measured in this process: one way of several of a group. */
BENCH_FN void bench_peer_of(const char *group, const char *name, bench_fn *fn, void *ctx) {
    if (bench.serving || bench.peer_count == BENCH_MAX_PEERS) return;
    bench_contestant_set(&bench.peer[bench.peer_count++], name, group, fn, ctx);
}
BENCH_FN void bench_peer(const char *name, bench_fn *fn, void *ctx) {
    bench_peer_of(name, name, fn, ctx);
}
/* OpenBLAS: the parent notes it, the child runs fn. */
BENCH_FN void bench_blas(bench_fn *fn, void *ctx) {
    if (bench.serving) {
        bench_contestant_set(&bench.peer[bench.peer_count++], "OpenBLAS", "OpenBLAS", fn, ctx);
        return;
    }
    if (!bench.peers || bench.skip) return;
    if (!bench.blas_tried) bench_blas_start();
    for (int i = 0; i < bench.blas_count && bench.peer_count < BENCH_MAX_PEERS; i++) {
        bench_contestant *c = &bench.peer[bench.peer_count++];
        bench_contestant_set(c, "OpenBLAS", "OpenBLAS", NULL, NULL);
        snprintf(c->name, sizeof c->name, "OpenBLAS %s", bench.blas[i].core);
        c->child = &bench.blas[i];
    }
}
/* A case of peers.py; `name` is the library that does the work there. */
BENCH_FN void bench_python(const char *name, const char *request) {
    if (bench.serving || !bench.peers || bench.skip) return;
    if (!bench.python_tried) bench_python_start();
    for (int i = 0; i < bench.python_count && bench.peer_count < BENCH_MAX_PEERS; i++) {
        bench_contestant *c = &bench.peer[bench.peer_count++];
        bench_contestant_set(c, name, name, NULL, NULL);
        if (i) strncat(c->name, " (env)", sizeof c->name - strlen(c->name) - 1);
        c->child = &bench.python[i];
        snprintf(c->request, sizeof c->request, "%s", request);
    }
}

BENCH_FN void bench_bar_add(bench_bar_kind kind, const char *peer, double value, double scaled,
                            bool aim) {
    if (bench.bar_count == BENCH_MAX_BARS) return;
    bench_bar *b = &bench.bar[bench.bar_count++];
    b->kind = kind;
    b->value = value;
    b->scaled = scaled;
    b->aim = aim;
    snprintf(b->peer, sizeof b->peer, "%s", peer);
}
/* vdi is to be at least `value` times as fast as the peer (the fastest of its group). */
BENCH_FN void bench_bar_ratio(const char *peer, double value) {
    bench_bar_add(BENCH_BAR_RATIO, peer, value, 0, false);
}
BENCH_FN void bench_aim_ratio(const char *peer, double value) {
    bench_bar_add(BENCH_BAR_RATIO, peer, value, 0, true);
}
/* vdi is to reach this share of the limit. */
BENCH_FN void bench_bar_share(double value) { bench_bar_add(BENCH_BAR_SHARE, "", value, 0, false); }
/* A bare time, set on a machine whose peak was 235 (f32) or 118 (f64) GFLOP/s. Work that is bound
 * by the width of the vectors gets a second reading, scaled to this machine's peak; work bound by
 * latency (BENCH_LATENCY) does not, for the clocks are alike. */
enum { BENCH_LATENCY = -1 };
BENCH_FN double bench_bar_scale(int dtype) {
    return dtype == BENCH_LATENCY || bench.serving
               ? 1
               : (dtype == VDI_F64 ? 118.0 : 235.0) / bench_peak_gflops[dtype == VDI_F64];
}
BENCH_FN void bench_bar_figure(double value, int dtype) {
    bench_bar_add(BENCH_BAR_FIGURE, "", value, value * bench_bar_scale(dtype), false);
}
BENCH_FN void bench_aim_figure(double value, int dtype) {
    bench_bar_add(BENCH_BAR_FIGURE, "", value, value * bench_bar_scale(dtype), true);
}

BENCH_FN double bench_figure(double seconds) {
    static const double per[] = {0, 1e9, 1e6, 1e3};
    return bench.unit == BENCH_GFLOPS ? bench.work / seconds * 1e-9
                                      : seconds / bench.work * per[bench.unit];
}
/* median over rounds of a's time over vdi's */
BENCH_FN double bench_ratio(const bench_contestant *a) {
    double r[BENCH_MAX_ROUNDS];
    int n = 0;
    for (int i = 0; i < bench.rounds; i++)
        if (a->time[i] > 0) r[n++] = a->time[i] / bench.vdi.time[i];
    return bench_median(r, n);
}

BENCH_FN void bench_text_figure(char *buf, size_t size, double x) {
    snprintf(buf, size, x < 0.1 ? "%.4f" : x < 10 ? "%.3f" : x < 1000 ? "%.1f" : "%.0f", x);
}

BENCH_FN void bench_serve_row(void) {
    char line[64];
    while (bench.peer_count && fgets(line, sizeof line, stdin)) {
        if (line[0] != 's') return;
        printf("%.9g\n", bench_measure_here(&bench.peer[0]));
        fflush(stdout);
    }
    if (bench.peer_count) exit(0); /* the parent has gone */
}

/* A note stands under the table of its question, so that rows stay short. */
BENCH_FN void bench_remember_note(void) {
    size_t used = strlen(bench.notes);
    snprintf(bench.notes + used, sizeof bench.notes - used, "- %s: %s\n", bench.row, bench.note);
}

/* Times of the row: in each round vdi, the limit and every peer once. */
BENCH_FN void bench_rounds(void) {
    bench.vdi.best = bench.limit.best = 1e30;
    for (int p = 0; p < bench.peer_count; p++)
        bench.peer[p].best = 1e30;
    for (int r = 0; r < bench.rounds; r++) {
        bench_contestant *order[2 + BENCH_MAX_PEERS];
        int n = 0;
        if (bench.vdi.fn) order[n++] = &bench.vdi;
        if (bench.has_limit) order[n++] = &bench.limit;
        for (int p = 0; p < bench.peer_count; p++)
            order[n++] = &bench.peer[p];
        for (int i = 0; i < n; i++) {
            order[i]->time[r] = bench_measure(order[i]);
            if (order[i]->time[r] > 0 && order[i]->time[r] < order[i]->best)
                order[i]->best = order[i]->time[r];
        }
    }
    for (int i = 0; i < bench.blas_count; i++) {
        /* lock step: the child goes on to the next row that has a BLAS part */
        for (int p = 0; p < bench.peer_count; p++) {
            if (bench.peer[p].child == &bench.blas[i] && bench.blas[i].to) {
                fputs("n\n", bench.blas[i].to);
                fflush(bench.blas[i].to);
            }
        }
    }
}

/* vdi against the fastest of a group of peers; 0 where none was in this run. */
BENCH_FN double bench_ratio_of_group(const char *group) {
    double least = 0;
    for (int p = 0; p < bench.peer_count; p++) {
        if (strcmp(bench.peer[p].group, group) || !(bench.peer[p].best < 1e29)) continue;
        double r = bench_ratio(&bench.peer[p]);
        if (least == 0 || r < least) least = r;
    }
    return least;
}

/* The peers of the row: all in the JSON; the fastest of each group on the screen and as the text of
 * a cell of the table. */
BENCH_FN void bench_report_peers(char *cell, size_t size) {
    char figure[32], line[256];
    int written = 0;
    for (int p = 0; p < bench.peer_count; p++) {
        bench_contestant *c = &bench.peer[p];
        if (c->best > 1e29) continue;
        if (bench_ratio(c) <= bench_ratio_of_group(c->group)) {
            bench_text_figure(figure, sizeof figure, bench_figure(c->best));
            printf("  | %s %s (%.2fx)", c->name, figure, bench_ratio(c));
            snprintf(line, sizeof line, "%s%s %.2fx", cell[0] ? ", " : "", c->name, bench_ratio(c));
            strncat(cell, line, size - strlen(cell) - 1);
        }
        fprintf(
            bench.json,
            "%s{\"name\": \"%s\", \"figure\": %.6g, \"ratio_median\": %.4f, \"ratio_best\": %.4f}",
            written++ ? ", " : "", c->name, bench_figure(c->best), bench_ratio(c),
            c->best / bench.vdi.best);
    }
}

typedef struct bench_verdict {
    double reached;
    bool met, met_scaled; /* the bar; the bar at this machine's peak */
    char text[256];
} bench_verdict;

/* False: the peer of the bar was not in this run. */
BENCH_FN bool bench_judge(const bench_bar *b, double share, bench_verdict *v) {
    static const char *const words[] = {"missed", "met"};
    const char *kind = b->aim ? "aim" : "bar";
    memset(v, 0, sizeof *v);
    switch (b->kind) {
    case BENCH_BAR_RATIO:
        v->reached = bench_ratio_of_group(b->peer);
        if (v->reached == 0) return false;
        v->met = v->reached >= b->value;
        snprintf(v->text, sizeof v->text, "%s >= %.4gx %s: %s", kind, b->value, b->peer,
                 words[v->met]);
        return true;
    case BENCH_BAR_SHARE:
        v->reached = share;
        v->met = share >= b->value;
        snprintf(v->text, sizeof v->text, "%s >= %.0f %% of %s: %s", kind, 100 * b->value,
                 bench.limit_name, words[v->met]);
        return true;
    default: break;
    }
    v->reached = bench_figure(bench.vdi.best);
    v->met = v->reached <= b->value;
    v->met_scaled = v->reached <= b->scaled;
    int used = snprintf(v->text, sizeof v->text, "%s <= %.4g %s: %s", kind, b->value,
                        bench_unit_names[bench.unit], words[v->met]);
    if (!v->met && b->scaled > b->value) {
        snprintf(v->text + used, sizeof v->text - (size_t)used,
                 "; at this machine's peak <= %.3g: %s", b->scaled, words[v->met_scaled]);
    }
    return true;
}

/* The bars of the row on the screen, and as the elements of a JSON array. */
BENCH_FN void bench_report_bars(double share, char *json, size_t size) {
    for (int i = 0; i < bench.bar_count; i++) {
        bench_verdict v;
        if (!bench_judge(&bench.bar[i], share, &v)) continue;
        if (!v.met && !v.met_scaled && !bench.bar[i].aim) bench.missed++;
        printf("    %s\n", v.text);
        snprintf(json + strlen(json), size - strlen(json),
                 "%s{\"text\": \"%s\", \"reached\": %.5g, \"met\": %s}", json[0] ? ", " : "",
                 v.text, v.reached, v.met ? "true" : "false");
    }
}

BENCH_FN void bench_run(void) {
    char figure[32];
    char peers_md[512] = "";
    char bars_json[768] = "";
    if (bench.skip) return;
    if (bench.serving) {
        bench_serve_row();
        return;
    }
    bench_rounds();
    if (!bench.vdi.fn) return;

    bench_text_figure(figure, sizeof figure, bench_figure(bench.vdi.best));
    double share = 0;
    if (bench.has_limit) share = bench.limit_scale * bench_ratio(&bench.limit);
    printf("%-44s %8s %s", bench.row, figure, bench_unit_names[bench.unit]);
    if (bench.has_limit) printf("  %3.0f %% of %s", 100 * share, bench.limit_name);
    fprintf(bench.json,
            "%s\n  {\"case\": \"%s\", \"unit\": \"%s\", \"vdi\": %.6g, \"vdi_median\": %.6g",
            bench.rows++ ? "," : "", bench.row, bench_unit_names[bench.unit],
            bench_figure(bench.vdi.best), bench_figure(bench_median(bench.vdi.time, bench.rounds)));
    if (bench.has_limit)
        fprintf(bench.json, ", \"limit\": \"%s\", \"share\": %.4f", bench.limit_name, share);
    fprintf(bench.json, ", \"peers\": [");
    bench_report_peers(peers_md, sizeof peers_md);
    if (bench.note[0]) printf("  | %s", bench.note);
    printf("\n");
    bench_report_bars(share, bars_json, sizeof bars_json);
    fprintf(bench.json, "], \"bars\": [%s], \"note\": \"%s\"}", bars_json, bench.note);
    fprintf(bench.md, "| %s | %s %s | ", bench.row, figure, bench_unit_names[bench.unit]);
    if (bench.has_limit) fprintf(bench.md, "%.0f %% of %s", 100 * share, bench.limit_name);
    fprintf(bench.md, " | %s |\n", peers_md);
    if (bench.note[0]) bench_remember_note();
    fflush(stdout);
}

/* 0, or 1 where a result was wrong. A missed bar is reported, not an error: the machine may be a
 * slower one. */
BENCH_FN int bench_end(void) {
    if (bench.serving) return 0;
    for (int i = 0; i < bench.blas_count; i++)
        bench_child_stop(&bench.blas[i]);
    for (int i = 0; i < bench.python_count; i++)
        bench_child_stop(&bench.python[i]);
    fprintf(bench.md, "%s%s\n", bench.notes[0] ? "\n" : "", bench.notes);
    for (int i = 0; i < bench.blas_count; i++)
        fprintf(bench.md, "%s: %s. ", bench.blas[i].name, bench.blas[i].version);
    for (int i = 0; i < bench.python_count; i++)
        fprintf(bench.md, "%s: %s. ", bench.python[i].name, bench.python[i].version);
    fprintf(bench.md, "%s", bench.blas_count || bench.python_count ? "\n\n" : "");
    fprintf(bench.json, "\n ],\n \"openblas\": \"%s\", \"python\": \"%s\", \"bars_missed\": %d}\n",
            bench.blas[0].version, bench.python[0].version, bench.missed);
    fclose(bench.md);
    fclose(bench.json);
    printf("%d rows, %d bars missed\n\n", bench.rows, bench.missed);
    return bench.failed ? 1 : 0;
}
#endif
