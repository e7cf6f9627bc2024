/* bench/elementwise.c - functions of one argument over arrays, against glibc's libmvec and SLEEF,
 * with errors in ulp
 *
 * The peers are called vector by vector through pointers, as compiled code calls them (libmvec is
 * what gcc -ffast-math uses). Sigmoid and softplus are what a user would write with them: 1 / (1 +
 * exp(-x)), max(x, 0) + log1p(exp(-|x|)). The 512-bit entries are taken where vdi runs on AVX-512,
 * else the 256-bit ones.
 */
#include "bench.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef struct map_case {
    vdi_dtype dtype;
    vdi_unary_op op;
    size_t n;
    void *x, *y;
    void *inner, *outer; /* a peer's vector functions: exp of softplus and its log1p */
} map_case;

static void run_vdi(void *ctx) {
    map_case *m = (map_case *)ctx;
    vdi_unary(m->dtype, m->op, 0, m->n, m->x, m->y);
}
/* read and write of the same arrays, the least that any such function must do */
static void run_copy(void *ctx) {
    map_case *m = (map_case *)ctx;
    memcpy(m->y, m->x, m->n * vdi_dtype_size(m->dtype));
    __asm__ volatile("" : : "r"(m->y) : "memory");
}

#if defined(__x86_64__)
/* one loop per type and width: y = f(x), and the two functions that are made of exp */
#define MAP_PEER(name, isa, V, T, W, load, store, set1, add, sub, max, div)   \
    __attribute__((target(isa))) static void name(void *ctx) {                \
        map_case *m = (map_case *)ctx;                                        \
        const T *x = (const T *)m->x;                                         \
        T *y = (T *)m->y;                                                     \
        V (*f)(V) = (V(*)(V))m->inner;                                        \
        V (*g)(V) = (V(*)(V))m->outer;                                        \
        V one = set1(1), zero = set1(0);                                      \
        for (size_t i = 0; i < m->n; i += W) {                                \
            V v = load(x + i);                                                \
            if (m->op == VDI_SIGMOID)                                         \
                v = div(one, add(one, f(sub(zero, v))));                      \
            else if (m->op == VDI_SOFTPLUS)                                   \
                v = add(max(v, zero), g(f(sub(zero, max(v, sub(zero, v)))))); \
            else                                                              \
                v = f(v);                                                     \
            store(y + i, v);                                                  \
        }                                                                     \
    }
MAP_PEER(run_peer_512_f32, "avx512f", __m512, float, 16, _mm512_loadu_ps, _mm512_storeu_ps,
         _mm512_set1_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_max_ps, _mm512_div_ps)
MAP_PEER(run_peer_512_f64, "avx512f", __m512d, double, 8, _mm512_loadu_pd, _mm512_storeu_pd,
         _mm512_set1_pd, _mm512_add_pd, _mm512_sub_pd, _mm512_max_pd, _mm512_div_pd)
MAP_PEER(run_peer_256_f32, "avx2", __m256, float, 8, _mm256_loadu_ps, _mm256_storeu_ps,
         _mm256_set1_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_max_ps, _mm256_div_ps)
MAP_PEER(run_peer_256_f64, "avx2", __m256d, double, 4, _mm256_loadu_pd, _mm256_storeu_pd,
         _mm256_set1_pd, _mm256_add_pd, _mm256_sub_pd, _mm256_max_pd, _mm256_div_pd)

static bench_fn *peer_loop(vdi_dtype dtype) {
    if (vdi_simd_active() == VDI_SIMD_AVX512)
        return dtype == VDI_F32 ? run_peer_512_f32 : run_peer_512_f64;
    return dtype == VDI_F32 ? run_peer_256_f32 : run_peer_256_f64;
}
/* _ZGVeN16v_expf: 'e' is AVX-512, 'd' AVX2; 16, 8, 4 the lanes */
static void *libmvec_symbol(void *library, vdi_dtype dtype, const char *f) {
    char name[64];
    bool wide = vdi_simd_active() == VDI_SIMD_AVX512;
    snprintf(name, sizeof name, "_ZGV%cN%dv_%s%s", wide ? 'e' : 'd',
             (wide ? 8 : 4) * (dtype == VDI_F32 ? 2 : 1), f, dtype == VDI_F32 ? "f" : "");
    return library ? dlsym(library, name) : NULL;
}
/* Sleef_expf16_u10avx512f */
static void *sleef_symbol(void *library, vdi_dtype dtype, const char *f) {
    char name[64];
    bool wide = vdi_simd_active() == VDI_SIMD_AVX512;
    snprintf(name, sizeof name, "Sleef_%s%c%d_u10%s", f, dtype == VDI_F32 ? 'f' : 'd',
             (wide ? 8 : 4) * (dtype == VDI_F32 ? 2 : 1), wide ? "avx512f" : "avx2");
    return library ? dlsym(library, name) : NULL;
}
#endif

static void run_libm(void *ctx) {
    map_case *m = (map_case *)ctx;
    if (m->dtype == VDI_F32) {
        float (*f)(float) = (float (*)(float))m->inner;
        for (size_t i = 0; i < m->n; i++)
            ((float *)m->y)[i] = f(((const float *)m->x)[i]);
    } else {
        double (*f)(double) = (double (*)(double))m->inner;
        for (size_t i = 0; i < m->n; i++)
            ((double *)m->y)[i] = f(((const double *)m->x)[i]);
    }
}
static float sigmoid_f(float x) { return 1 / (1 + expf(-x)); }
static double sigmoid_d(double x) { return 1 / (1 + exp(-x)); }
static float softplus_f(float x) { return fmaxf(x, 0) + log1pf(expf(-fabsf(x))); }
static double softplus_d(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static long double exact_sigmoid(long double x) { return 1 / (1 + expl(-x)); }
static long double exact_softplus(long double x) {
    return (x > 0 ? x : 0) + log1pl(expl(-fabsl(x)));
}

typedef struct function {
    vdi_unary_op op;
    const char *name;    /* the vector libraries' name of what is called first */
    double lo, hi;       /* range of the arguments */
    double bar32, bar64; /* ns per element */
    double ulp;          /* bar of the error */
    const char *peer[2]; /* the peer that bounded the bar where it was set, f32 and f64 ... */
    double ratio[2];     /* ... and how the bar compared with it there */
    float (*libm32)(float);
    double (*libm64)(double);
    long double (*exact)(long double);
} function;
static const function functions[] = {
    {VDI_EXP, "exp", -20, 20, 0.20, 0.55, 2, {"libmvec", "libmvec"}, {1.0, 1.0}, expf, exp, expl},
    {VDI_LOG,
     "log",
     1e-3,
     1e3,
     0.20,
     0.55,
     2,
     {"libmvec", "libmvec"},
     {1.0, 1.15},
     logf,
     log,
     logl},
    {VDI_TANH,
     "tanh",
     -5,
     5,
     0.25,
     0.90,
     2,
     {"libmvec", "libmvec"},
     {0.85, 1.1},
     tanhf,
     tanh,
     tanhl},
    {VDI_SIGMOID,
     "exp",
     -10,
     10,
     0.20,
     0.55,
     2,
     {"libmvec", "libmvec"},
     {1.1, 1.0},
     sigmoid_f,
     sigmoid_d,
     exact_sigmoid},
    {VDI_SOFTPLUS,
     "exp",
     -10,
     10,
     0.30,
     0.90,
     0,
     {"libmvec", "libmvec"},
     {2.0, 2.0},
     softplus_f,
     softplus_d,
     exact_softplus},
    {VDI_LGAMMA,
     "lgamma",
     3,
     100,
     0.80,
     1.60,
     4,
     {"SLEEF", "libm"},
     {3.8, 4.6},
     lgammaf,
     lgamma,
     lgammal},
    /* with its zeros at 1 and 2 */
    {VDI_LGAMMA, "lgamma", 0.05, 3, 0, 0, 0, {NULL, NULL}, {0, 0}, lgammaf, lgamma, lgammal},
    {VDI_LOG1P, "log1p", -0.5, 10, 0, 0, 0, {NULL, NULL}, {0, 0}, log1pf, log1p, log1pl},
    {VDI_EXPM1, "expm1", -5, 5, 0, 0, 0, {NULL, NULL}, {0, 0}, expm1f, expm1, expm1l},
    {VDI_ERF, "erf", -3, 3, 0, 0, 0, {NULL, NULL}, {0, 0}, erff, erf, erfl},
    {VDI_SIN, "sin", -20, 20, 0, 0, 0, {NULL, NULL}, {0, 0}, sinf, sin, sinl},
    {VDI_RELU, NULL, -5, 5, 0, 0, 0, {NULL, NULL}, {0, 0}, NULL, NULL, NULL},
};

/* Largest error in units in the last place of the exact result. */
static double worst_ulp(const map_case *m, const function *f) {
    double worst = 0;
    for (size_t i = 0; i < m->n; i++) {
        long double want = f->exact((long double)bench_get(m->dtype, m->x, i));
        int e;
        (void)frexp((double)want, &e);
        double error = fabs((double)(((long double)bench_get(m->dtype, m->y, i) - want) *
                                     ldexpl(1, (m->dtype == VDI_F32 ? 24 : 53) - e)));
        if (error > worst || error != error) worst = error;
    }
    return worst;
}

static void note_ulp(map_case *m, const function *f, const char *who, bench_fn *fn) {
    size_t used = strlen(bench.note);
    fn(m);
    snprintf(bench.note + used, sizeof bench.note - used, "%s%s %.2f",
             used ? ", " : "max ulp: ", who, worst_ulp(m, f));
}

int main(int argc, char **argv) {
    bench_begin("elementwise", argc, argv);
    if (bench.serving) return 0;
    void *libmvec = NULL, *sleef = NULL;
    if (bench.peers) {
        libmvec = dlopen("libmvec.so.1", RTLD_NOW);
        sleef = dlopen("libsleef.so.3", RTLD_NOW);
        if (!libmvec) fprintf(stderr, "bench: no libmvec (it comes with glibc on x86-64)\n");
        if (!sleef) fprintf(stderr, "bench: no SLEEF (Debian: libsleef3)\n");
    }
    for (size_t i = 0; i < VDI__COUNT(functions); i++) {
        for (int q = 0; q < 2; q++) {
            for (int large = 0; large < 2; large++) {
                const function *f = &functions[i];
                map_case m, vector[2], libm;
                char name[64];
                if (bench.quick && large) continue;
                memset(&m, 0, sizeof m);
                m.dtype = q ? VDI_F64 : VDI_F32;
                m.op = f->op;
                m.n = large ? (size_t)1 << 20 : 4096;
                snprintf(name, sizeof name, "%s %s on [%g,%g], n=%s", vdi_unary_name(f->op),
                         bench_dtype(m.dtype), f->lo, f->hi, large ? "1M" : "4096");
                if (!bench_row(name, BENCH_NS, (double)m.n)) continue;
                m.x = bench_array(m.dtype, m.n, f->lo, f->hi);
                m.y = bench_array(m.dtype, m.n, 0, 1);
                bench_vdi(run_vdi, &m);
                bench_limit("copy", run_copy, &m, 1);
                if (!large && f->exact) {
                    note_ulp(&m, f, "vdi", run_vdi);
                    double u = worst_ulp(&m, f);
                    bench_check(f->ulp == 0 || u <= f->ulp, "error in ulp over its bound");
                }
#if defined(__x86_64__)
                for (int p = 0; p < 2 && f->name; p++) {
                    vector[p] = m;
                    vector[p].inner = p ? sleef_symbol(sleef, m.dtype, f->name)
                                        : libmvec_symbol(libmvec, m.dtype, f->name);
                    vector[p].outer = p ? sleef_symbol(sleef, m.dtype, "log1p")
                                        : libmvec_symbol(libmvec, m.dtype, "log1p");
                    if (!vector[p].inner || (f->op == VDI_SOFTPLUS && !vector[p].outer)) continue;
                    bench_peer(p ? "SLEEF" : "libmvec", peer_loop(m.dtype), &vector[p]);
                    if (!large)
                        note_ulp(&vector[p], f, p ? "SLEEF" : "libmvec", peer_loop(m.dtype));
                }
#endif
                libm = m;
                libm.inner = q ? (void *)(uintptr_t)f->libm64 : (void *)(uintptr_t)f->libm32;
                if (bench.peers && libm.inner) bench_peer("libm", run_libm, &libm);
                if (!large && f->bar32 > 0) {
                    bench_bar_figure(q ? f->bar64 : f->bar32, (int)m.dtype);
                    bench_bar_ratio(f->peer[q], f->ratio[q]);
                }
                bench_run();
            }
        }
    }
    return bench_end();
}
