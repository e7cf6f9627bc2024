/* reduce.c - sums in their fixed order, maxima, softmax, gather and scatter, reductions of tensors;
 * the optimisers' inner loops */
#include "check.h"

#define FOR_EACH_PATH(simd)                                         \
    for (int simd = VDI_SIMD_SCALAR; simd < VDI_SIMD_COUNT; simd++) \
        if (vdi_simd_set((vdi_simd)simd) == VDI_OK)

static bool has_fma(int simd) {
    return simd == VDI_SIMD_AVX2 || simd == VDI_SIMD_AVX512 || simd == VDI_SIMD_NEON;
}

enum { ROOM = 700 };
static float x32[ROOM], y32[ROOM];
static double x64[ROOM], y64[ROOM];
static void fill_pair(unsigned long long seed) {
    for (int i = 0; i < ROOM; i++) {
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
        static double dot_fused[ROOM];
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

TEST(reduce, softmax) {
    for (int d = VDI_F32; d <= VDI_F64; d++) {
        FOR_EACH_PATH(simd) {
            for (int cols = 1; cols <= 130; cols += cols < 40 ? 1 : 29) {
                const vdi_dtype dtype = (vdi_dtype)d;
                const double unit = dtype == VDI_F32 ? FLT_EPSILON : DBL_EPSILON;
                enum { ROWS = 3, LD = 140 };
                double x[ROWS * LD], y[ROWS * LD], z[ROWS * LD], l[ROWS];
                unsigned long long seed = (unsigned long long)cols;
                vdi_tensor tx = vdi_tensor_2d(x, dtype, ROWS, LD);
                vdi_tensor ty = vdi_tensor_2d(y, dtype, ROWS, LD);
                vdi_tensor tz = vdi_tensor_2d(z, dtype, ROWS, LD);
                vdi_tensor tl = vdi_tensor_1d(l, dtype, ROWS);
                for (int64_t r = 0; r < ROWS; r++) {
                    for (int64_t c = 0; c < LD; c++) {
                        const int64_t at[2] = {r, c};
                        vdi_tensor_set(tx, at, 300 * (double)(r - 1) + 4 * test_normal(&seed));
                        vdi_tensor_set(ty, at, 77);
                    }
                }
                vdi_logsumexp(dtype, ROWS, (size_t)cols, x, LD, l);
                vdi_softmax(dtype, ROWS, (size_t)cols, x, LD, y, LD);
                memcpy(z, x, sizeof z);
                vdi_log_softmax(dtype, ROWS, (size_t)cols, z, LD, z, LD);
                for (int64_t r = 0; r < ROWS; r++) {
                    long double sum = 0, top = -INFINITY;
                    for (int64_t c = 0; c < cols; c++)
                        top = fmaxl(top, vdi_tensor_get(tx, (int64_t[2]){r, c}));
                    for (int64_t c = 0; c < cols; c++)
                        sum += expl(vdi_tensor_get(tx, (int64_t[2]){r, c}) - top);
                    CHECK(fabs((double)(vdi_tensor_get(tl, &r) - (top + logl(sum)))) <=
                              4 * unit * fabs((double)top),
                          "logsumexp");
                    for (int64_t c = 0; c < cols; c++) {
                        const long double p =
                            expl(vdi_tensor_get(tx, (int64_t[2]){r, c}) - top) / sum;
                        const double got = vdi_tensor_get(ty, (int64_t[2]){r, c});
                        const double lg = vdi_tensor_get(tz, (int64_t[2]){r, c});
                        CHECK(fabs((double)(got - p)) <=
                                  4 * unit * (double)p * (2 + fabs((double)logl(p))),
                              "softmax %d: %g, expected %Lg", cols, got, p);
                        CHECK(fabs((double)(lg - logl(p))) <=
                                  4 * unit * (1 + fabs((double)logl(p))),
                              "log_softmax %d: %g, expected %Lg", cols, lg, logl(p));
                    }
                    CHECK(vdi_tensor_get(ty, (int64_t[2]){r, cols}) == 77, "wrote beyond the row");
                }
            }
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

TEST(reduce, tensors) {
    double x[2 * 5 * 301], y[2 * 5 * 301];
    vdi_error err;
    for (int i = 0; i < 2 * 5 * 301; i++)
        x[i] = (i * 37 % 101) - 50;
    vdi_tensor t = vdi_tensor_3d(x, VDI_F64, 2, 5, 301);
    for (int reversed = 0; reversed < 2; reversed++) {
        for (int axis = 0; axis < 3; axis++) {
            for (int keep = 0; keep < 2; keep++) {
                for (int op = VDI_REDUCE_SUM; op <= VDI_REDUCE_MIN; op++) {
                    vdi_tensor from = reversed ? vdi_tensor_slice(t, 2, 300, -1, 301) : t;
                    int64_t shape[3];
                    int n = 0;
                    for (int i = 0; i < 3; i++) {
                        if (i != axis)
                            shape[n++] = from.shape[i];
                        else if (keep)
                            shape[n++] = 1;
                    }
                    vdi_tensor to = vdi_tensor_view(y, VDI_F64, n, shape);
                    CHECK_OK(vdi_tensor_reduce((vdi_reduce_op)op, from, axis, to, &err), err);
                    for (int64_t i = 0; i < from.shape[axis == 0 ? 1 : 0]; i++) {
                        for (int64_t j = 0; j < from.shape[axis == 2 ? 1 : 2]; j++) {
                            double s = 0, top = -INFINITY, bottom = INFINITY;
                            for (int64_t k = 0; k < from.shape[axis]; k++) {
                                const int64_t at[3] = {axis == 0 ? k : i,
                                                       axis == 1   ? k
                                                       : axis == 0 ? i
                                                                   : j,
                                                       axis == 2 ? k : j};
                                const double v = vdi_tensor_get(from, at);
                                s += v;
                                top = fmax(top, v);
                                bottom = fmin(bottom, v);
                            }
                            const double got = y[i * from.shape[axis == 2 ? 1 : 2] + j];
                            const double want = op == VDI_REDUCE_SUM ? s
                                                : op == VDI_REDUCE_MEAN
                                                    ? s / (double)from.shape[axis]
                                                : op == VDI_REDUCE_MAX ? top
                                                                       : bottom;
                            CHECK(fabs(got - want) <= 1e-12, "op %d axis %d: %g, expected %g", op,
                                  axis, got, want);
                        }
                    }
                }
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

/* Three steps of each optimiser, every path, odd sizes, against the formulas in double. */
TEST(optim, kernels) {
    for (int d = VDI_F32; d <= VDI_F64; d++) {
        FOR_EACH_PATH(simd) {
            for (int kind = 0; kind < 5; kind++) {
                for (int n = 0; n <= 35; n++) {
                    const vdi_dtype dtype = (vdi_dtype)d;
                    enum { MOST = 40 };
                    double w[MOST], g[MOST], m[MOST], v[MOST], rw[MOST], rm[MOST], rv[MOST];
                    vdi_tensor tw = vdi_tensor_1d(w, dtype, MOST);
                    vdi_tensor tg = vdi_tensor_1d(g, dtype, MOST);
                    vdi_tensor tm = vdi_tensor_1d(m, dtype, MOST);
                    vdi_tensor tv = vdi_tensor_1d(v, dtype, MOST);
                    unsigned long long seed = 17;
                    vdi_tensor_fill(tm, 0);
                    vdi_tensor_fill(tv, 0);
                    for (int64_t i = 0; i < MOST; i++) {
                        vdi_tensor_set(tw, &i, test_normal(&seed));
                        rw[i] = vdi_tensor_get(tw, &i);
                        rm[i] = rv[i] = 0;
                    }
                    for (int step = 0; step < 3; step++) {
                        for (int64_t i = 0; i < MOST; i++)
                            vdi_tensor_set(tg, &i, test_normal(&seed));
                        if (kind == 0) {
                            vdi_adam_kernel(dtype, (size_t)n, w, g, m, v, 0.01, 0.9, 0.99, 1e-6,
                                            0.001, 0.5);
                        } else if (kind < 3) {
                            vdi_rmsprop_kernel(dtype, (size_t)n, w, g, v, kind == 1 ? m : NULL,
                                               0.01, 0.9, 1e-6, kind == 1 ? 0.8 : 0, 0.001, 0.5);
                        } else {
                            vdi_sgd_kernel(dtype, (size_t)n, w, g, kind == 3 ? m : NULL, 0.01,
                                           kind == 3 ? 0.8 : 0, 0.001, 0.5);
                        }
                        for (int64_t i = 0; i < n; i++) {
                            const double gi = 0.5 * vdi_tensor_get(tg, &i);
                            double u = gi;
                            if (kind == 0) {
                                rm[i] = 0.9 * rm[i] + 0.1 * gi;
                                rv[i] = 0.99 * rv[i] + 0.01 * gi * gi;
                                u = rm[i] / (sqrt(rv[i]) + 1e-6);
                            } else {
                                if (kind < 3) {
                                    rv[i] = 0.9 * rv[i] + 0.1 * gi * gi;
                                    u = gi / (sqrt(rv[i]) + 1e-6);
                                }
                                if (kind == 1 || kind == 3) u = rm[i] = 0.8 * rm[i] + u;
                            }
                            rw[i] -= 0.01 * u + 0.001 * rw[i];
                        }
                    }
                    for (int64_t i = 0; i < MOST; i++) {
                        const double unit = dtype == VDI_F32 ? FLT_EPSILON : DBL_EPSILON;
                        CHECK(fabs(vdi_tensor_get(tw, &i) - rw[i]) <=
                                  16 * unit * (fabs(rw[i]) + 0.1),
                              "kind %d n=%d [%d] %s %s", kind, n, (int)i, vdi_dtype_name(dtype),
                              vdi_simd_name((vdi_simd)simd));
                        CHECK(fabs(vdi_tensor_get(tm, &i) - rm[i]) <=
                                      16 * unit * (fabs(rm[i]) + 1) &&
                                  fabs(vdi_tensor_get(tv, &i) - rv[i]) <= 16 * unit,
                              "memory: kind %d n=%d [%d]", kind, n, (int)i);
                    }
                }
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}
