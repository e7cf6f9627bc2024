/* gemm: every path against a chain of scalar fused multiply-adds, bit for bit where the path has
 * FMA */
#include "paths.h"

enum { GUARD = 3 };
static const vdi_dtype types[2] = {VDI_F32, VDI_F64};
static unsigned long long seed = 88172645463325252ULL;
static size_t below(size_t n) { return (size_t)(test_uniform(&seed) * (double)n); }

/* Unaligned on purpose: one element past a boundary. */
static void *random_array(vdi_dtype dtype, size_t n) {
    char *p = (char *)malloc((n + 1) * vdi_dtype_size(dtype));
    for (size_t i = 0; i <= n; i++)
        vdi_dtype_store(dtype, p, (int64_t)i, test_uniform(&seed) - 0.5);
    return p;
}

static double chain(vdi_dtype dtype, double c, double a, double b) {
    return dtype == VDI_F32 ? (double)fmaf((float)a, (float)b, (float)c) : fma(a, b, c);
}

static double activate(vdi_act act, double p, double x) {
    switch (act) {
    case VDI_ACT_NONE: return x;
    case VDI_ACT_RELU: return x > 0 ? x : 0;
    case VDI_ACT_LEAKY_RELU: return x > 0 ? x : (p == 0 ? 0.2 : p) * x;
    case VDI_ACT_TANH: return tanh(x);
    case VDI_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case VDI_ACT_SOFTPLUS: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case VDI_ACT_EXP: return exp(x);
    }
    return 0;
}

/* How much longer than needed the rows of A are. */
static size_t apart = 0;

/* One product of the given shape, by vdi_gemm (act < 0) or vdi_affine, on the path in use. */
static void try_product(vdi_simd simd, vdi_dtype dtype, int flags, size_t m, size_t n, size_t k,
                        int act) {
    const int ta = flags & VDI_GEMM_TA, tb = flags & VDI_GEMM_TB, acc = flags & VDI_GEMM_ACC;
    const size_t size = vdi_dtype_size(dtype);
    const size_t lda = (ta ? m : k) + apart + below(4);
    const size_t ldb = (tb ? k : n) + below(4);
    const size_t ldc = n + below(4);
    const size_t count_a = (ta ? k : m) * lda + 1;
    const size_t count_b = (tb ? n : k) * ldb + 1;
    const size_t count_c = m * ldc + 2 * GUARD;
    char *a = (char *)random_array(dtype, count_a);
    char *b = (char *)random_array(dtype, count_b);
    char *c = (char *)random_array(dtype, count_c);
    char *bias = (char *)random_array(dtype, n + 1), *before = (char *)malloc((count_c + 1) * size);
    const int with_bias = act >= 0 && below(3) > 0;
    memcpy(before, c, (count_c + 1) * size);
    if (!acc) { /* what is not added to must not be read */
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < n; j++)
                vdi_dtype_store(dtype, c, (int64_t)(GUARD + i * ldc + j), (double)NAN);
        }
    }
    if (act < 0) {
        vdi_gemm(dtype, flags, m, n, k, a + size, lda, b + size, ldb, c + GUARD * size, ldc);
    } else {
        vdi_affine(dtype, m, n, k, a + size, lda, b + size, ldb, with_bias ? bias + size : NULL,
                   (vdi_act)act, 0.1, c + GUARD * size, ldc);
    }
    size_t wrong = 0, touched = 0;
    for (size_t at = 0; at < count_c; at++) {
        const size_t i = ldc ? (at - GUARD) / ldc : m, j = ldc ? (at - GUARD) % ldc : n;
        const double old = vdi_dtype_load(dtype, before, (int64_t)at);
        const double got = vdi_dtype_load(dtype, c, (int64_t)at);
        if (at < GUARD || i >= m || j >= n) {
            touched += memcmp(before + at * size, c + at * size, size) != 0;
            continue;
        }
        double want = acc ? old : with_bias ? vdi_dtype_load(dtype, bias + size, (int64_t)j) : 0;
        for (size_t p = 0; p < k; p++) {
            want =
                chain(dtype, want,
                      vdi_dtype_load(dtype, a + size, (int64_t)(ta ? p * lda + i : i * lda + p)),
                      vdi_dtype_load(dtype, b + size, (int64_t)(tb ? j * ldb + p : p * ldb + j)));
        }
        const double tol = (dtype == VDI_F32 ? 1e-7 : 2e-16) * (4 + (double)k);
        if (act > 0) want = activate((vdi_act)act, 0.1, want);
        if (has_fma(simd) && act <= (int)VDI_ACT_RELU)
            wrong += got != want;
        else
            wrong += !(fabs(got - want) <= tol * (1 + fabs(want)));
    }
    CHECK(wrong == 0, "%s %s flags %d act %d (%zu,%zu,%zu) ld %zu %zu %zu: %zu elements differ",
          vdi_simd_name(simd), vdi_dtype_name(dtype), flags, act, m, n, k, lda, ldb, ldc, wrong);
    CHECK(touched == 0, "%s %s flags %d (%zu,%zu,%zu): %zu elements around C were written",
          vdi_simd_name(simd), vdi_dtype_name(dtype), flags, m, n, k, touched);
    free(a);
    free(b);
    free(c);
    free(bias);
    free(before);
}

/* Calls f for each path that runs here and both types. */
#define EACH_PATH(simd, dtype)                                                             \
    for (int path_ = VDI_SIMD_SCALAR; path_ < VDI_SIMD_COUNT; path_++)                     \
        if (vdi_simd_set((vdi_simd)path_) == VDI_OK)                                       \
            for (int type_ = 0; type_ < 2; type_++)                                        \
                for (vdi_simd simd = (vdi_simd)path_, *once_ = &simd; once_; once_ = NULL) \
                    for (vdi_dtype dtype = types[type_], *again_ = &dtype; again_; again_ = NULL)

TEST(gemm, small_shapes_all_flags) {
    EACH_PATH(simd, dtype) {
        for (int flags = 0; flags < 8; flags++) {
            for (size_t m = 0; m <= 19; m += m < 9 ? 1 : 5) {
                for (size_t n = 0; n <= 17; n += n < 5 ? 1 : 3) {
                    for (size_t k = 0; k <= 9; k += k < 2 ? 1 : 3)
                        try_product(simd, dtype, flags, m, n, k, -1);
                }
            }
        }
    }
}

TEST(gemm, random_shapes) {
    EACH_PATH(simd, dtype) {
        const size_t wide = simd == VDI_SIMD_SCALAR ? 20 : 110;
        for (size_t i = 0; i < test_scaled(100); i++)
            try_product(simd, dtype, (int)below(8), 1 + below(70), 1 + below(wide), below(90), -1);
        /* one row, wide; few columns, tall; more k, rows and columns than a block holds; far
         * rows */
        for (size_t i = 0; i < test_scaled(40); i++)
            try_product(simd, dtype, (int)below(8), 1, 1 + below(400), below(300), -1);
        for (size_t i = 0; i < test_scaled(20); i++) {
            try_product(simd, dtype, (int)below(8), 1 + below(300), 1 + below(5), 200 + below(400),
                        -1);
        }
        for (int i = 0; i < (int)test_scaled(8); i++)
            try_product(simd, dtype, i, 200 + below(150), 20 + below(70), 250 + below(30), -1);
        for (int i = 0; i < (int)test_scaled(8); i++)
            try_product(simd, dtype, i, 40 + below(5), 1100 + below(20), 12, -1);
    }
}

/* A batch against its products one by one: the same bits, and nothing written between them. */
static void try_batch(vdi_dtype dtype, int flags, size_t m, size_t n, size_t k) {
    const int ta = flags & VDI_GEMM_TA, tb = flags & VDI_GEMM_TB;
    const size_t size = vdi_dtype_size(dtype), count = 5;
    const size_t lda = (ta ? m : k) + below(3), ldb = (tb ? k : n) + below(3), ldc = n + below(3);
    const size_t step_a = below(3) ? (ta ? k : m) * lda + below(3) : 0;
    const size_t step_b = below(3) ? (tb ? n : k) * ldb + below(3) : 0;
    const size_t step_c = m * ldc + below(4);
    char *a = (char *)random_array(dtype, step_a * count + (m + k) * lda);
    char *b = (char *)random_array(dtype, step_b * count + (n + k) * ldb);
    char *c = (char *)random_array(dtype, step_c * count + 8);
    char *want = (char *)malloc((step_c * count + 9) * size);
    memcpy(want, c, (step_c * count + 9) * size);
    vdi_gemm_batch(dtype, flags, count, m, n, k, a, lda, step_a, b, ldb, step_b, c, ldc, step_c);
    for (size_t i = 0; i < count; i++) {
        vdi_gemm(dtype, flags, m, n, k, a + i * step_a * size, lda, b + i * step_b * size, ldb,
                 want + i * step_c * size, ldc);
    }
    CHECK(memcmp(c, want, (step_c * count + 9) * size) == 0,
          "%s flags %d (%zu,%zu,%zu) steps %zu %zu %zu: a batch is not its products",
          vdi_dtype_name(dtype), flags, m, n, k, step_a, step_b, step_c);
    free(a);
    free(b);
    free(c);
    free(want);
}

TEST(gemm, batch) {
    EACH_PATH(simd, dtype) {
        for (int flags = 0; flags < 8; flags++) {
            for (size_t m = 0; m <= 18; m += m < 9 ? 1 : 3) {
                for (size_t n = 0; n <= 17; n += n < 5 ? 1 : 3)
                    try_batch(dtype, flags, m, n, below(9));
            }
            for (size_t i = 0; i < test_scaled(10); i++)
                try_batch(dtype, flags, 1 + below(70), 1 + below(90), below(300));
        }
        vdi_gemm_batch(dtype, 0, 0, 4, 4, 4, NULL, 4, 16, NULL, 4, 16, NULL, 4, 16);
        (void)simd;
    }
}

/* Rows of A so far apart that strips of them are copied: one block of k and several, columns in one
 * part and in two, a last strip and a last vector that are cut. */
TEST(gemm, far_rows) {
    apart = 1030;
    EACH_PATH(simd, dtype) {
        const size_t wide = simd == VDI_SIMD_AVX512 ? 192 : 64;
        for (int flags = 0; flags < 8; flags++) {
            try_product(simd, dtype, flags, 33 + below(10), wide, 1 + below(20), -1);
            try_product(simd, dtype, flags, 33 + below(10), wide + below(60), below(30), -1);
        }
        for (int act = 0; act <= (int)VDI_ACT_RELU; act++)
            try_product(simd, dtype, 0, 35, wide + 8, 650 + below(20), act);
        try_product(simd, dtype, VDI_GEMM_TA | VDI_GEMM_ACC, 35, wide + 16, 650, -1);
        try_product(simd, dtype, 0, 35, wide, 0, -1);
        for (size_t k = 320; k <= 1280; k *= 2) /* whole blocks: the copy fills its strip */
            try_product(simd, dtype, 0, 33, wide, k, -1);
        try_product(simd, dtype, 0, 33, 12000 / vdi_dtype_size(dtype), 40, -1);
    }
    apart = 0;
}

TEST(gemm, bias_and_activation) {
    EACH_PATH(simd, dtype) {
        for (int act = 0; act <= (int)VDI_ACT_EXP; act++) {
            for (int i = 0; i < 12; i++) {
                try_product(simd, dtype, 0, i % 3 ? 1 + below(40) : 1, 1 + below(90),
                            i % 4 ? below(60) : 300, act);
            }
        }
    }
}

/* Rows of A may overlap; not finite numbers go where IEEE says, and nowhere else. */
TEST(gemm, overlap_and_nonfinite) {
    EACH_PATH(simd, dtype) {
        double x[40], c[20 * 7];
        float xf[40], cf[20 * 7], wf[15 * 7];
        double w[15 * 7];
        for (int i = 0; i < 40; i++)
            x[i] = xf[i] = (float)(test_uniform(&seed) - 0.5);
        for (int i = 0; i < 15 * 7; i++)
            w[i] = wf[i] = (float)(test_uniform(&seed) - 0.5);
        x[20] = xf[20] = (float)NAN;
        x[30] = xf[30] = (float)INFINITY;
        if (dtype == VDI_F32)
            vdi_gemm(dtype, 0, 20, 7, 15, xf, 1, wf, 7, cf, 7);
        else
            vdi_gemm(dtype, 0, 20, 7, 15, x, 1, w, 7, c, 7);
        for (int i = 0; i < 20; i++) {
            for (int j = 0; j < 7; j++) {
                const double got = dtype == VDI_F32 ? (double)cf[i * 7 + j] : c[i * 7 + j];
                double want = 0;
                for (int p = 0; p < 15; p++)
                    want = chain(dtype, want, x[i + p], w[p * 7 + j]);
                if (want != want)
                    CHECK(got != got, "row %d is %g, not NaN", i, got);
                else if (want - want != 0)
                    CHECK(got == want, "row %d is %g, not %g", i, got, want);
                else
                    CHECK_CLOSE(got, want, 1e-6);
            }
        }
        (void)simd;
    }
}

TEST(gemm, vectors) {
    EACH_PATH(simd, dtype) {
        for (int trial = 0; trial < 60; trial++) {
            const size_t m = below(70);
            const size_t n = below(70);
            const size_t lda = n + below(3);
            const size_t size = vdi_dtype_size(dtype);
            const int flags = trial & (VDI_GEMM_TA | VDI_GEMM_ACC);
            const int ta = flags & VDI_GEMM_TA;
            const int acc = flags & VDI_GEMM_ACC;
            const size_t in = ta ? m : n, out = ta ? n : m;
            char *a = (char *)random_array(dtype, m * lda + 1);
            char *x = (char *)random_array(dtype, 80);
            char *y = (char *)random_array(dtype, 80);
            char *y0 = (char *)malloc(81 * size), *a0 = (char *)malloc((m * lda + 2) * size);
            const double tol = has_fma(simd) ? 0 : dtype == VDI_F32 ? 1e-5 : 1e-14;
            memcpy(y0, y, 81 * size);
            vdi_gemv(dtype, flags, m, n, a, lda, x, y);
            for (size_t i = 0; i < 81; i++) {
                double want = vdi_dtype_load(dtype, y0, (int64_t)i);
                if (i < out) {
                    if (!acc) want = 0;
                    for (size_t p = 0; p < in; p++) {
                        want = chain(
                            dtype, want, vdi_dtype_load(dtype, x, (int64_t)p),
                            vdi_dtype_load(dtype, a, (int64_t)(ta ? p * lda + i : i * lda + p)));
                    }
                }
                CHECK_CLOSE(vdi_dtype_load(dtype, y, (int64_t)i), want, tol);
            }
            memcpy(a0, a, (m * lda + 2) * size);
            vdi_ger(dtype, m, n, x, y, a, lda);
            for (size_t i = 0; i < m * lda + 2; i++) {
                double want = vdi_dtype_load(dtype, a0, (int64_t)i);
                if (lda && i / lda < m && i % lda < n) {
                    want = chain(dtype, want, vdi_dtype_load(dtype, x, (int64_t)(i / lda)),
                                 vdi_dtype_load(dtype, y, (int64_t)(i % lda)));
                }
                CHECK_CLOSE(vdi_dtype_load(dtype, a, (int64_t)i), want, tol);
            }
            free(a);
            free(x);
            free(y);
            free(y0);
            free(a0);
        }
    }
}

/* The derivative from the output against central differences of the activation. */
TEST(gemm, activation_gradient) {
    EACH_PATH(simd, dtype) {
        for (int act = 0; act <= (int)VDI_ACT_EXP; act++) {
            enum { N = 300 };
            double x[N], y[N], dy[N], dz[N];
            float yf[N], dyf[N], dzf[N];
            for (int i = 0; i < N; i++) {
                x[i] = 6 * test_uniform(&seed) - 3;
                yf[i] = (float)(y[i] = activate((vdi_act)act, 0.1, x[i]));
                dyf[i] = (float)(dy[i] = test_uniform(&seed) - 0.5);
            }
            const size_t n = 1 + below(N);
            if (dtype == VDI_F32)
                vdi_act_grad(dtype, (vdi_act)act, 0.1, n, yf, dyf, dzf);
            else
                vdi_act_grad(dtype, (vdi_act)act, 0.1, n, y, dy, dz);
            for (size_t i = 0; i < n; i++) {
                const double h = 1e-5;
                const double slope = (activate((vdi_act)act, 0.1, x[i] + h) -
                                      activate((vdi_act)act, 0.1, x[i] - h)) /
                                     (2 * h);
                if (fabs(x[i]) > 2 * h) {
                    CHECK_CLOSE(dtype == VDI_F32 ? (double)dzf[i] : dz[i], dy[i] * slope,
                                dtype == VDI_F32 ? 2e-5 : 1e-8);
                }
            }
        }
        (void)simd;
    }
}
