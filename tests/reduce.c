/* reduce.c - sums in their fixed order, maxima, softmax, gather and scatter, reductions of tensors;
 * the optimisers' inner loops */
#include "paths.h"

enum { CAPACITY = 700 };
static float x32[CAPACITY], y32[CAPACITY];
static double x64[CAPACITY], y64[CAPACITY];
static void fill_pair(unsigned long long seed) {
    for (int i = 0; i < CAPACITY; i++) {
        x64[i] = test_normal(&seed) * exp(4 * test_normal(&seed));
        y64[i] = test_normal(&seed);
        x32[i] = (float)x64[i];
        y32[i] = (float)y64[i];
    }
}
static const void *pick(vdi_dtype dtype, const float *a, const double *b) {
    return dtype == VDI_F32 ? (const void *)a : (const void *)b;
}

/* The documented order, written down once more. */
static double ordered_sum(vdi_dtype dtype, int n, const float *a, const double *b) {
    if (dtype == VDI_F32) {
        float part[64] = {0};
        for (int i = 0; i < n; i++)
            part[i % 64] += a[i];
        for (int h = 32; h >= 1; h /= 2) {
            for (int j = 0; j < h; j++)
                part[j] += part[j + h];
        }
        return (double)part[0];
    }
    double part[32] = {0};
    for (int i = 0; i < n; i++)
        part[i % 32] += b[i];
    for (int h = 16; h >= 1; h /= 2) {
        for (int j = 0; j < h; j++)
            part[j] += part[j + h];
    }
    return part[0];
}

TEST(reduce, order_of_sums) {
    fill_pair(7);
    for (int d = VDI_F32; d <= VDI_F64; d++) {
        const vdi_dtype dtype = (vdi_dtype)d;
        static double dot_fused[CAPACITY];
        bool any_fused = false;
        FOR_EACH_PATH(simd) {
            for (int n = 0; n < 300; n++) {
                const int o = n % 5; /* no alignment */
                const double want = ordered_sum(dtype, n, x32 + o, x64 + o);
                const double got = vdi_sum(dtype, (size_t)n, pick(dtype, x32 + o, x64 + o));
                CHECK(got == want, "sum %s %s n=%d: %.17g, expected %.17g", vdi_dtype_name(dtype),
                      vdi_simd_name((vdi_simd)simd), n, got, want);
                const double dot = vdi_dot(dtype, (size_t)n, pick(dtype, x32 + o, x64 + o),
                                           pick(dtype, y32 + 1, y64 + 1));
                double exact = 0, size = 0;
                for (int i = 0; i < n; i++) {
                    const double p = dtype == VDI_F32 ? (double)x32[i + o] * (double)y32[i + 1]
                                                      : x64[i + o] * y64[i + 1];
                    exact += p;
                    size += fabs(p);
                }
                CHECK(fabs(dot - exact) <=
                          8 * (dtype == VDI_F32 ? FLT_EPSILON : DBL_EPSILON) * size,
                      "dot %s %s n=%d", vdi_dtype_name(dtype), vdi_simd_name((vdi_simd)simd), n);
                if (has_fma(simd)) {
                    if (any_fused) {
                        CHECK(dot == dot_fused[n], "dot %s n=%d: bits differ",
                              vdi_simd_name((vdi_simd)simd), n);
                    }
                    dot_fused[n] = dot;
                }
            }
            any_fused = any_fused || has_fma(simd);
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}

TEST(reduce, largest_and_nonfinite) {
    unsigned long long seed = 3;
    for (int d = VDI_F32; d <= VDI_F64; d++) {
        FOR_EACH_PATH(simd) {
            for (int n = 0; n < 150; n++) {
                const vdi_dtype dtype = (vdi_dtype)d;
                double top = -INFINITY, bottom = INFINITY;
                size_t best = 0, bad = 0;
                fill_pair((unsigned long long)n + 11);
                for (int i = 0; i < n; i++) {
                    if (dtype == VDI_F32) x64[i] = (double)x32[i];
                    if (x64[i] > top) {
                        top = x64[i];
                        best = (size_t)i;
                    }
                    if (x64[i] < bottom) bottom = x64[i];
                }
                const void *x = pick(dtype, x32, x64);
                CHECK(vdi_max(dtype, (size_t)n, x) == top &&
                          vdi_min(dtype, (size_t)n, x) == bottom &&
                          vdi_argmax(dtype, (size_t)n, x) == best,
                      "n=%d %s", n, vdi_simd_name((vdi_simd)simd));
                CHECK(vdi_count_nonfinite(dtype, (size_t)n, x) == 0, "n=%d", n);
                if (n == 0) continue;
                const int at = (int)(test_uniform(&seed) * n);
                const int other = (int)(test_uniform(&seed) * n);
                x32[other] = -INFINITY;
                x64[other] = -INFINITY;
                CHECK(vdi_min(dtype, (size_t)n, x) == -INFINITY, "-inf at %d of %d", other, n);
                x32[at] = NAN;
                x64[at] = NAN;
                bad = at == other ? 1 : 2;
                CHECK(isnan(vdi_max(dtype, (size_t)n, x)) && isnan(vdi_min(dtype, (size_t)n, x)),
                      "NaN at %d of %d", at, n);
                CHECK(vdi_count_nonfinite(dtype, (size_t)n, x) == bad, "n=%d", n);
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
    const double tie[] = {NAN, 2, 5, 5, NAN};
    CHECK(vdi_argmax(VDI_F64, 5, tie) == 2 && vdi_argmax(VDI_F64, 1, tie) == 0,
          "first largest that is not NaN");
}

/* Rows of `cols` elements, LD apart: log-sum-exp, softmax and its logarithm against long double. */
enum { ROWS = 3, LD = 140 };
typedef struct rows {
    double x[ROWS * LD], softmax[ROWS * LD], log_softmax[ROWS * LD], logsumexp[ROWS];
} rows;

static double row_at(vdi_dtype dtype, const double *p, int64_t r, int64_t c) {
    return vdi_dtype_load(dtype, p, r * LD + c);
}

static void check_row(vdi_dtype dtype, const rows *s, int64_t r, int cols) {
    const double unit = dtype == VDI_F32 ? FLT_EPSILON : DBL_EPSILON;
    long double sum = 0, top = -INFINITY;
    for (int c = 0; c < cols; c++)
        top = fmaxl(top, row_at(dtype, s->x, r, c));
    for (int c = 0; c < cols; c++)
        sum += expl(row_at(dtype, s->x, r, c) - top);
    CHECK(fabs((double)(vdi_dtype_load(dtype, s->logsumexp, r) - (top + logl(sum)))) <=
              4 * unit * fabs((double)top),
          "logsumexp");
    for (int c = 0; c < cols; c++) {
        const long double p = expl(row_at(dtype, s->x, r, c) - top) / sum;
        const double got = row_at(dtype, s->softmax, r, c);
        const double lg = row_at(dtype, s->log_softmax, r, c);
        CHECK(fabs((double)(got - p)) <= 4 * unit * (double)p * (2 + fabs((double)logl(p))),
              "softmax %d: %g, expected %Lg", cols, got, p);
        CHECK(fabs((double)(lg - logl(p))) <= 4 * unit * (1 + fabs((double)logl(p))),
              "log_softmax %d: %g, expected %Lg", cols, lg, logl(p));
    }
    CHECK(row_at(dtype, s->softmax, r, cols) == 77, "wrote beyond the row");
}

static void softmax_check(vdi_dtype dtype, int cols) {
    static rows s;
    unsigned long long seed = (unsigned long long)cols;
    for (int64_t i = 0; i < ROWS * LD; i++) {
        vdi_dtype_store(dtype, s.x, i, 300 * (double)(i / LD - 1) + 4 * test_normal(&seed));
        vdi_dtype_store(dtype, s.softmax, i, 77);
    }
    vdi_logsumexp(dtype, ROWS, (size_t)cols, s.x, LD, s.logsumexp);
    vdi_softmax(dtype, ROWS, (size_t)cols, s.x, LD, s.softmax, LD);
    memcpy(s.log_softmax, s.x, sizeof s.x);
    vdi_log_softmax(dtype, ROWS, (size_t)cols, s.log_softmax, LD, s.log_softmax, LD);
    for (int64_t r = 0; r < ROWS; r++)
        check_row(dtype, &s, r, cols);
}

TEST(reduce, softmax) {
    for (int d = VDI_F32; d <= VDI_F64; d++) {
        FOR_EACH_PATH(simd) {
            for (int cols = 1; cols <= 130; cols += cols < 40 ? 1 : 29)
                softmax_check((vdi_dtype)d, cols);
        }
    }
    FOR_EACH_PATH(simd) {
        double inf = INFINITY, y;
        double row[3] = {-inf, -inf, -inf};
        double up[3] = {1, inf, 2};
        double nan[3] = {1, NAN, inf};
        double one[3] = {-inf, 3, -inf};
        double p[3];
        vdi_logsumexp(VDI_F64, 1, 3, row, 3, &y);
        CHECK(y == -inf, "of -inf: %g", y);
        vdi_logsumexp(VDI_F64, 1, 0, row, 3, &y);
        CHECK(y == -inf, "of nothing: %g", y);
        vdi_logsumexp(VDI_F64, 1, 3, up, 3, &y);
        CHECK(y == inf, "of inf: %g", y);
        vdi_logsumexp(VDI_F64, 1, 3, nan, 3, &y);
        CHECK(isnan(y), "of NaN: %g", y);
        vdi_softmax(VDI_F64, 1, 3, one, 3, p, 3);
        CHECK(p[0] == 0 && p[1] == 1 && p[2] == 0, "one possible: %g %g %g", p[0], p[1], p[2]);
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}

TEST(reduce, rows) {
    FOR_EACH_PATH(simd) {
        for (int cols = 0; cols < 70; cols++) {
            float y[80], want[80];
            fill_pair(5);
            for (int accumulate = 0; accumulate < 2; accumulate++) {
                for (int j = 0; j < 80; j++)
                    y[j] = want[j] = accumulate || j >= cols ? y32[j] : NAN;
                for (int j = 0; j < cols; j++) {
                    float s = accumulate ? want[j] : 0;
                    for (int r = 0; r < 7; r++)
                        s += x32[r * 90 + j];
                    want[j] = s;
                }
                vdi_sum_rows(VDI_F32, 7, (size_t)cols, x32, 90, accumulate != 0, y);
                CHECK(memcmp(y, want, sizeof y) == 0, "sum_rows %s cols=%d accumulate=%d",
                      vdi_simd_name((vdi_simd)simd), cols, accumulate);
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
    const double x[6] = {1, 2, 3, 4, 5, 6};
    const int64_t index[4] = {2, 0, 2, 1}, bad[2] = {0, 3}, negative[1] = {-1};
    double y[8] = {0}, g[6] = {0};
    CHECK(vdi_gather_rows(VDI_F64, 4, index, 3, 2, x, 2, y, 2) == VDI_OK, "gather");
    const double gathered[8] = {5, 6, 1, 2, 5, 6, 3, 4}, scattered[6] = {1, 2, 3, 4, 10, 12};
    CHECK(memcmp(y, gathered, sizeof y) == 0, "gather");
    CHECK(vdi_scatter_add_rows(VDI_F64, 4, index, 3, 2, y, 2, g, 2) == VDI_OK &&
              memcmp(g, scattered, sizeof g) == 0,
          "scatter");
    CHECK(vdi_gather_rows(VDI_F64, 2, bad, 3, 2, x, 2, y, 2) == VDI_ERR_ARGUMENT &&
              memcmp(y, gathered, sizeof y) == 0,
          "index too large");
    CHECK(vdi_scatter_add_rows(VDI_F64, 1, negative, 3, 2, x, 2, g, 2) == VDI_ERR_ARGUMENT &&
              g[0] == 1,
          "index negative");
}

/* One axis of a (2,5,301) tensor, reduced one element of the result at a time. */
static void reduce_check(vdi_reduce_op op, vdi_tensor from, int axis, bool keep) {
    static double y[2 * 5 * 301];
    const int rest[2] = {axis == 0 ? 1 : 0, axis == 2 ? 1 : 2};
    int64_t shape[3], at[3];
    int n = 0;
    vdi_error err;
    for (int i = 0; i < 3; i++) {
        if (i != axis)
            shape[n++] = from.shape[i];
        else if (keep)
            shape[n++] = 1;
    }
    CHECK_OK(vdi_tensor_reduce(op, from, axis, vdi_tensor_view(y, VDI_F64, n, shape), &err), err);
    const double *got = y;
    for (at[rest[0]] = 0; at[rest[0]] < from.shape[rest[0]]; at[rest[0]]++) {
        for (at[rest[1]] = 0; at[rest[1]] < from.shape[rest[1]]; at[rest[1]]++, got++) {
            double sum = 0, top = -INFINITY, bottom = INFINITY;
            for (at[axis] = 0; at[axis] < from.shape[axis]; at[axis]++) {
                const double v = vdi_tensor_get(from, at);
                sum += v;
                top = fmax(top, v);
                bottom = fmin(bottom, v);
            }
            double want = sum;
            if (op == VDI_REDUCE_MEAN) want = sum / (double)from.shape[axis];
            if (op == VDI_REDUCE_MAX) want = top;
            if (op == VDI_REDUCE_MIN) want = bottom;
            CHECK(fabs(*got - want) <= 1e-12, "op %d axis %d: %g, expected %g", op, axis, *got,
                  want);
        }
    }
}

TEST(reduce, tensors) {
    double x[2 * 5 * 301], y[2 * 300];
    vdi_error err;
    for (int i = 0; i < 2 * 5 * 301; i++)
        x[i] = (i * 37 % 101) - 50;
    vdi_tensor t = vdi_tensor_3d(x, VDI_F64, 2, 5, 301);
    for (int axis = 0; axis < 3; axis++) {
        for (int keep = 0; keep < 2; keep++) {
            for (int op = VDI_REDUCE_SUM; op <= VDI_REDUCE_MIN; op++) {
                reduce_check((vdi_reduce_op)op, t, axis, keep);
                reduce_check((vdi_reduce_op)op, vdi_tensor_slice(t, 2, 300, -1, 301), axis, keep);
            }
        }
    }
    double scalar;
    CHECK_OK(vdi_tensor_reduce(VDI_REDUCE_SUM, vdi_tensor_1d(x, VDI_F64, 10), 0,
                               vdi_tensor_view(&scalar, VDI_F64, 0, NULL), &err),
             err);
    CHECK_OK(vdi_tensor_reduce(VDI_REDUCE_MAX, vdi_tensor_1d(x, VDI_F64, 0), 0,
                               vdi_tensor_view(&scalar, VDI_F64, 0, NULL), &err),
             err);
    CHECK(scalar == -INFINITY, "largest of nothing: %g", scalar);
    CHECK_FAILS(vdi_tensor_reduce(VDI_REDUCE_SUM, t, 1, vdi_tensor_2d(y, VDI_F64, 2, 300), &err),
                VDI_ERR_SHAPE);
    CHECK(strstr(err.message, "(2,5,301)") && strstr(err.message, "(2,300)"), "%s", err.message);
    CHECK_FAILS(vdi_tensor_reduce(VDI_REDUCE_SUM, t, 3, t, &err), VDI_ERR_ARGUMENT);
}

/* ---- inner loops of the optimisers ----------------------------------------------------------- */

typedef enum kernel_kind {
    ADAM,
    RMSPROP_MOMENTUM,
    RMSPROP,
    SGD_MOMENTUM,
    SGD,
    KERNELS
} kernel_kind;

static void kernel_step(kernel_kind kind, vdi_dtype dtype, size_t n, void *w, const void *g,
                        void *m, void *v) {
    switch (kind) {
    case ADAM: vdi_adam_kernel(dtype, n, w, g, m, v, 0.01, 0.9, 0.99, 1e-6, 0.001, 0.5); break;
    case RMSPROP_MOMENTUM:
        vdi_rmsprop_kernel(dtype, n, w, g, v, m, 0.01, 0.9, 1e-6, 0.8, 0.001, 0.5);
        break;
    case RMSPROP:
        vdi_rmsprop_kernel(dtype, n, w, g, v, NULL, 0.01, 0.9, 1e-6, 0, 0.001, 0.5);
        break;
    case SGD_MOMENTUM: vdi_sgd_kernel(dtype, n, w, g, m, 0.01, 0.8, 0.001, 0.5); break;
    default: vdi_sgd_kernel(dtype, n, w, g, NULL, 0.01, 0, 0.001, 0.5); break;
    }
}

/* The same step of one weight, by the formula. */
static void formula_step(kernel_kind kind, double *w, double gradient, double *m, double *v) {
    const double g = 0.5 * gradient;
    double u = g;
    if (kind == ADAM) {
        *m = 0.9 * *m + 0.1 * g;
        *v = 0.99 * *v + 0.01 * g * g;
        u = *m / (sqrt(*v) + 1e-6);
    }
    if (kind == RMSPROP || kind == RMSPROP_MOMENTUM) {
        *v = 0.9 * *v + 0.1 * g * g;
        u = g / (sqrt(*v) + 1e-6);
    }
    if (kind == RMSPROP_MOMENTUM || kind == SGD_MOMENTUM) u = *m = 0.8 * *m + u;
    *w -= 0.01 * u + 0.001 * *w;
}

static void kernel_check(kernel_kind kind, vdi_dtype dtype, size_t n) {
    enum { MOST = 40 };
    const double unit = dtype == VDI_F32 ? FLT_EPSILON : DBL_EPSILON;
    double w[MOST], g[MOST], m[MOST] = {0}, v[MOST] = {0};
    double want_w[MOST], want_m[MOST] = {0}, want_v[MOST] = {0};
    unsigned long long seed = 17;
    for (int64_t i = 0; i < MOST; i++) {
        vdi_dtype_store(dtype, w, i, test_normal(&seed));
        want_w[i] = vdi_dtype_load(dtype, w, i);
    }
    for (int step = 0; step < 3; step++) {
        for (int64_t i = 0; i < MOST; i++)
            vdi_dtype_store(dtype, g, i, test_normal(&seed));
        kernel_step(kind, dtype, n, w, g, m, v);
        for (int64_t i = 0; i < (int64_t)n; i++)
            formula_step(kind, &want_w[i], vdi_dtype_load(dtype, g, i), &want_m[i], &want_v[i]);
    }
    for (int64_t i = 0; i < MOST; i++) {
        CHECK(fabs(vdi_dtype_load(dtype, w, i) - want_w[i]) <= 16 * unit * (fabs(want_w[i]) + 0.1),
              "kind %d n=%zu [%d] %s %s", kind, n, (int)i, vdi_dtype_name(dtype),
              vdi_simd_name(vdi_simd_active()));
        CHECK(fabs(vdi_dtype_load(dtype, m, i) - want_m[i]) <= 16 * unit * (fabs(want_m[i]) + 1) &&
                  fabs(vdi_dtype_load(dtype, v, i) - want_v[i]) <= 16 * unit,
              "memory: kind %d n=%zu [%d]", kind, n, (int)i);
    }
}

/* Three steps of each optimiser, every path, odd sizes, against the formulas in double. */
TEST(optim, kernels) {
    for (int d = VDI_F32; d <= VDI_F64; d++) {
        FOR_EACH_PATH(simd) {
            for (int kind = 0; kind < KERNELS; kind++) {
                for (size_t n = 0; n <= 35; n++)
                    kernel_check((kernel_kind)kind, (vdi_dtype)d, n);
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}
