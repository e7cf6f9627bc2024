/* bench/gemm.c - is a matrix product as fast as the machine? C = A B, square, row-major, against
 * OpenBLAS, and against BLASFEO's operands, packed before the clock starts */
#include "bench.h"

typedef struct gemm_case {
    vdi_dtype dtype;
    int flags, n;
    void *a, *b, *c;
} gemm_case;

static void run_vdi(void *ctx) {
    gemm_case *g = (gemm_case *)ctx;
    size_t n = (size_t)g->n;
    vdi_gemm(g->dtype, g->flags, n, n, n, g->a, n, g->b, n, g->c, n);
}

/* CBLAS by hand, for no header need be installed: row-major 101, not transposed 111, transposed
 * 112 */
typedef void sgemm_fn(int, int, int, int, int, int, float, const float *, int, const float *, int,
                      float, float *, int);
typedef void dgemm_fn(int, int, int, int, int, int, double, const double *, int, const double *,
                      int, double, double *, int);
static sgemm_fn *blas_sgemm;
static dgemm_fn *blas_dgemm;
static void run_blas(void *ctx) {
    gemm_case *g = (gemm_case *)ctx;
    int n = g->n, ta = g->flags & VDI_GEMM_TA ? 112 : 111, tb = g->flags & VDI_GEMM_TB ? 112 : 111;
    if (g->dtype == VDI_F32) {
        blas_sgemm(101, ta, tb, n, n, n, 1, (float *)g->a, n, (float *)g->b, n, 0, (float *)g->c,
                   n);
    } else {
        blas_dgemm(101, ta, tb, n, n, n, 1, (double *)g->a, n, (double *)g->b, n, 0, (double *)g->c,
                   n);
    }
}

/* a few elements against long double; operands lie in (-1/2, 1/2) */
static void check(const gemm_case *g) {
    size_t n = (size_t)g->n;
    double worst = 0;
    for (size_t s = 0; s < 64; s++) {
        size_t i = s * 7919 % n, j = s * 104729 % n;
        long double sum = 0;
        for (size_t k = 0; k < n; k++) {
            sum += (long double)bench_get(g->dtype, g->a,
                                          g->flags & VDI_GEMM_TA ? k * n + i : i * n + k) *
                   bench_get(g->dtype, g->b, g->flags & VDI_GEMM_TB ? j * n + k : k * n + j);
        }
        worst =
            fmax(worst, fabs((double)(sum - (long double)bench_get(g->dtype, g->c, i * n + j))));
    }
    bench_check(worst <= (g->dtype == VDI_F32 ? 6e-8 : 1.2e-16) * (double)n,
                "an element of the product");
}

/* BLASFEO without its header: its matrix is a small struct of its own, larger here than there; a
 * product D = A B + 0 C or A B' + 0 C, the latter being its fastest. */
typedef union blasfeo_mat {
    double align;
    char bytes[256];
} blasfeo_mat;
typedef void dfeo_fn(int, int, int, double, blasfeo_mat *, int, int, blasfeo_mat *, int, int,
                     double, blasfeo_mat *, int, int, blasfeo_mat *, int, int);
typedef void sfeo_fn(int, int, int, float, blasfeo_mat *, int, int, blasfeo_mat *, int, int, float,
                     blasfeo_mat *, int, int, blasfeo_mat *, int, int);
typedef void feo_allocate_fn(int, int, blasfeo_mat *);
typedef void feo_copy_fn(int, int, const void *, int, blasfeo_mat *, int, int);
typedef void feo_unpack_fn(int, int, blasfeo_mat *, int, int, void *, int);
typedef struct blasfeo_case {
    vdi_dtype dtype;
    int n;
    blasfeo_mat a, b, bt, c;
    void *nn, *nt;
} blasfeo_case;

static void run_blasfeo(const blasfeo_case *g, bool transposed) {
    blasfeo_case *f = (blasfeo_case *)(uintptr_t)(const void *)g;
    blasfeo_mat *b = transposed ? &f->bt : &f->b;
    void *fn = transposed ? f->nt : f->nn;
    int n = f->n;
    if (f->dtype == VDI_F32)
        ((sfeo_fn *)fn)(n, n, n, 1, &f->a, 0, 0, b, 0, 0, 0, &f->c, 0, 0, &f->c, 0, 0);
    else
        ((dfeo_fn *)fn)(n, n, n, 1, &f->a, 0, 0, b, 0, 0, 0, &f->c, 0, 0, &f->c, 0, 0);
}
static void run_blasfeo_nn(void *ctx) { run_blasfeo((const blasfeo_case *)ctx, false); }
static void run_blasfeo_nt(void *ctx) { run_blasfeo((const blasfeo_case *)ctx, true); }

static void *feo_symbol(vdi_dtype dtype, const char *f32, const char *f64) {
    return bench_blasfeo_symbol(dtype == VDI_F32 ? f32 : f64);
}

/* The same product by BLASFEO (its matrices are column by column, so ours go in transposed). */
static void add_blasfeo(blasfeo_case *f, const gemm_case *g) {
    const int n = g->n;
    f->dtype = g->dtype;
    f->n = n;
    f->nn = feo_symbol(g->dtype, "blasfeo_sgemm_nn", "blasfeo_dgemm_nn");
    f->nt = feo_symbol(g->dtype, "blasfeo_sgemm_nt", "blasfeo_dgemm_nt");
    if (!f->nn) return;
    feo_allocate_fn *allocate =
        (feo_allocate_fn *)feo_symbol(g->dtype, "blasfeo_allocate_smat", "blasfeo_allocate_dmat");
    feo_copy_fn *pack =
        (feo_copy_fn *)feo_symbol(g->dtype, "blasfeo_pack_smat", "blasfeo_pack_dmat");
    feo_copy_fn *pack_tran =
        (feo_copy_fn *)feo_symbol(g->dtype, "blasfeo_pack_tran_smat", "blasfeo_pack_tran_dmat");
    feo_unpack_fn *unpack_tran = (feo_unpack_fn *)feo_symbol(g->dtype, "blasfeo_unpack_tran_smat",
                                                             "blasfeo_unpack_tran_dmat");
    void *out = bench_array(g->dtype, (size_t)n * (size_t)n, 0, 1);
    allocate(n, n, &f->a);
    allocate(n, n, &f->b);
    allocate(n, n, &f->bt);
    allocate(n, n, &f->c);
    pack_tran(n, n, g->a, n, &f->a, 0, 0);
    pack_tran(n, n, g->b, n, &f->b, 0, 0);
    pack(n, n, g->b, n, &f->bt, 0, 0);
    for (int t = 0; t < 2; t++) {
        run_blasfeo(f, t > 0);
        unpack_tran(n, n, &f->c, 0, 0, out, n);
        for (size_t i = 0; i < (size_t)n * (size_t)n; i++) {
            bench_check(fabs(bench_get(g->dtype, out, i) - bench_get(g->dtype, g->c, i)) <=
                            (g->dtype == VDI_F32 ? 2e-7 : 4e-16) * n,
                        "an element of BLASFEO's product");
        }
    }
    bench_peer_of("BLASFEO", "BLASFEO nn", run_blasfeo_nn, f);
    bench_peer_of("BLASFEO", "BLASFEO nt", run_blasfeo_nt, f);
}

/* What is demanded of a row. */
static void set_bars(const gemm_case *g) {
    const int n = g->n;
    const bool single = g->dtype == VDI_F32;
    if (n <= 24) {
        bench_bar_ratio("BLASFEO", 0.9);
        bench_bar_ratio("OpenBLAS", 1.05);
    }
    if (g->flags) return;
    if (single && (n == 64 || n == 256)) {
        bench_bar_ratio("OpenBLAS", 0.97);
        bench_bar_share(0.85);
    }
    if (!single && (n == 64 || n == 256)) bench_bar_share(0.90);
    if (n == 1024 || (!single && n == 512)) {
        bench_bar_ratio("OpenBLAS", 1);
        bench_bar_share(0.85);
    }
}

static void square(vdi_dtype dtype, int n, int flags) {
    gemm_case g;
    blasfeo_case f;
    char name[64];
    const double flops = 2.0 * n * n * n;
    const size_t count = (size_t)n * (size_t)n;
    g.dtype = dtype;
    g.flags = flags;
    g.n = n;
    snprintf(name, sizeof name, "%cgemm n=%d%s%s", dtype == VDI_F64 ? 'd' : 's', n,
             flags & VDI_GEMM_TA ? " A'" : "", flags & VDI_GEMM_TB ? " B'" : "");
    if (!bench_row(name, BENCH_GFLOPS, flops)) return;
    g.a = bench_array(dtype, count, -0.5, 0.5);
    g.b = bench_array(dtype, count, -0.5, 0.5);
    g.c = bench_array(dtype, count, 0, 1);
    if (!bench.serving) {
        run_vdi(&g);
        check(&g);
    }
    bench_vdi(run_vdi, &g);
    bench_limit_flops(dtype, flops);
    bench_blas(run_blas, &g);
    if (!flags && n <= 256) add_blasfeo(&f, &g);
    set_bars(&g);
    bench_run();
}

/* Many small products of one shape: in one call, and call by call. */
enum { BATCH = 64 };
static void run_vdi_batch(void *ctx) {
    const gemm_case *g = (const gemm_case *)ctx;
    const size_t n = (size_t)g->n;
    vdi_gemm_batch(g->dtype, 0, BATCH, n, n, n, g->a, n, n * n, g->b, n, n * n, g->c, n, n * n);
}
static gemm_case batch_item(const gemm_case *g, size_t i) {
    gemm_case one = *g;
    const size_t at = i * (size_t)g->n * (size_t)g->n * vdi_dtype_size(g->dtype);
    one.a = (char *)g->a + at;
    one.b = (char *)g->b + at;
    one.c = (char *)g->c + at;
    return one;
}
static void run_vdi_each(void *ctx) {
    for (size_t i = 0; i < BATCH; i++) {
        gemm_case one = batch_item((const gemm_case *)ctx, i);
        run_vdi(&one);
    }
}
static void run_blas_each(void *ctx) {
    for (size_t i = 0; i < BATCH; i++) {
        gemm_case one = batch_item((const gemm_case *)ctx, i);
        run_blas(&one);
    }
}

static void batch(vdi_dtype dtype, int n) {
    gemm_case g, last;
    char name[64];
    const double flops = 2.0 * BATCH * n * n * n;
    const size_t count = BATCH * (size_t)n * (size_t)n;
    g.dtype = dtype;
    g.flags = 0;
    g.n = n;
    snprintf(name, sizeof name, "%cgemm batch of %d, n=%d", dtype == VDI_F64 ? 'd' : 's', BATCH, n);
    if (!bench_row(name, BENCH_GFLOPS, flops)) return;
    g.a = bench_array(dtype, count, -0.5, 0.5);
    g.b = bench_array(dtype, count, -0.5, 0.5);
    g.c = bench_array(dtype, count, 0, 1);
    if (!bench.serving) {
        run_vdi_batch(&g);
        last = batch_item(&g, BATCH - 1);
        check(&last);
    }
    bench_vdi(run_vdi_batch, &g);
    bench_limit_flops(dtype, flops);
    bench_peer("vdi_gemm each", run_vdi_each, &g);
    bench_blas(run_blas_each, &g);
    bench_bar_ratio("OpenBLAS", 1.05);
    bench_run();
}

int main(int argc, char **argv) {
    static const int sizes[] = {4, 8, 16, 24, 32, 64, 128, 256, 512, 1024};
    bench_begin("gemm", argc, argv);
    blas_sgemm = (sgemm_fn *)bench_blas_symbol("cblas_sgemm");
    blas_dgemm = (dgemm_fn *)bench_blas_symbol("cblas_dgemm");
    for (int q = 0; q < 2; q++) {
        for (size_t s = 0; s < VDI__COUNT(sizes); s++) {
            for (int flags = 0; flags < 4; flags++) {
                const int n = sizes[s];
                if (flags && n != 64 && n != 256) continue;
                if (bench.quick && n > 256) continue;
                square(q ? VDI_F64 : VDI_F32, n, flags);
            }
        }
        for (int n = 4; n <= 16; n *= 2)
            batch(q ? VDI_F64 : VDI_F32, n);
    }
    return bench_end();
}
