/* bench/gemm.c - is a matrix product as fast as the machine? C = A B, square, row-major, against
 * OpenBLAS */
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

int main(int argc, char **argv) {
    static const int sizes[] = {4, 8, 16, 32, 64, 128, 256, 512, 1024};
    bench_begin("gemm", argc, argv);
    blas_sgemm = (sgemm_fn *)bench_blas_symbol("cblas_sgemm");
    blas_dgemm = (dgemm_fn *)bench_blas_symbol("cblas_dgemm");
    for (int q = 0; q < 2; q++) {
        for (size_t s = 0; s < VDI__COUNT(sizes); s++) {
            for (int flags = 0; flags < 4; flags++) {
                gemm_case g;
                char name[64];
                int n = sizes[s];
                double flops = 2.0 * n * n * n;
                if (flags && n != 64 && n != 256) continue;
                if (bench.quick && n > 256) continue;
                g.dtype = q ? VDI_F64 : VDI_F32;
                g.flags = flags;
                g.n = n;
                snprintf(name, sizeof name, "%cgemm n=%d%s%s", q ? 'd' : 's', n,
                         flags & VDI_GEMM_TA ? " A'" : "", flags & VDI_GEMM_TB ? " B'" : "");
                if (!bench_row(name, BENCH_GFLOPS, flops)) continue;
                g.a = bench_array(g.dtype, (size_t)(n * n), -0.5, 0.5);
                g.b = bench_array(g.dtype, (size_t)(n * n), -0.5, 0.5);
                g.c = bench_array(g.dtype, (size_t)(n * n), 0, 1);
                if (!bench.serving) {
                    run_vdi(&g);
                    check(&g);
                }
                bench_vdi(run_vdi, &g);
                bench_limit_flops(g.dtype, flops);
                bench_blas(run_blas, &g);
                if (!q && !flags && (n == 64 || n == 256 || n == 1024)) {
                    bench_bar_ratio("OpenBLAS", 0.97);
                    bench_bar_share(0.85);
                }
                if (!q && n == 16) bench_bar_ratio("OpenBLAS", 1);
                if (q && !flags && (n == 64 || n == 256)) bench_bar_share(0.90);
                if (q && n == 1024) bench_bar_share(0.85);
                if (q && n == 16) bench_bar_share(0.60);
                bench_run();
            }
        }
    }
    return bench_end();
}
