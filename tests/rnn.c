/* gru: forward against a plain loop, backward against central differences, and bits that do not
 * depend on the batch */
#include "check.h"

static unsigned long long seed = 9876543212345ULL;
static void fill(vdi_dtype dtype, size_t n, void *p) {
    for (size_t i = 0; i < n; i++)
        vdi_dtype_store(dtype, p, (int64_t)i, 2 * test_uniform(&seed) - 1);
}
static double at(vdi_dtype dtype, const void *p, size_t i) {
    return vdi_dtype_load(dtype, p, (int64_t)i);
}
static void each_path(void (*run)(vdi_dtype)) {
    for (int path = VDI_SIMD_SCALAR; path < VDI_SIMD_COUNT; path++) {
        if (vdi_simd_set((vdi_simd)path) == VDI_OK) {
            run(VDI_F32);
            run(VDI_F64);
        }
    }
    (void)vdi_simd_set(VDI_SIMD_AUTO);
}

enum { T = 5, B = 3, H_MAX = 20 };

/* The equations of rnn.h, in double. */
static void plain(size_t H, int reverse, const double *xp, const double *w, const double *b,
                  const double *h0, double *h) {
    for (size_t s = 0; s < T; s++) {
        const size_t t = reverse ? T - 1 - s : s;
        for (size_t r = 0; r < B; r++) {
            const double *before = s    ? h + ((reverse ? t + 1 : t - 1) * B + r) * H
                                   : h0 ? h0 + r * H
                                        : NULL;
            const double *x = xp + (t * B + r) * 3 * H;
            for (size_t i = 0; i < H; i++) {
                double u[3];
                for (size_t gate = 0; gate < 3; gate++) {
                    u[gate] = b ? b[gate * H + i] : 0;
                    for (size_t k = 0; k < H && before; k++)
                        u[gate] += before[k] * w[k * 3 * H + gate * H + i];
                }
                const double reset = 1 / (1 + exp(-x[i] - u[0]));
                const double z = 1 / (1 + exp(-x[H + i] - u[1]));
                const double n = tanh(x[2 * H + i] + reset * u[2]);
                h[(t * B + r) * H + i] = (1 - z) * n + (before ? z * before[i] : 0);
            }
        }
    }
}

static void forward(vdi_dtype dtype) {
    static const size_t sizes[] = {1, 3, 4, 7, 8, 13, 16, 20};
    for (size_t q = 0; q < VDI__COUNT(sizes) * 4; q++) {
        const size_t H = sizes[q / 4];
        const int reverse = q & 1, with_h0 = (q >> 1) & 1;
        double xp[T * B * 3 * H_MAX], w[H_MAX * 3 * H_MAX], b[3 * H_MAX], h0[B * H_MAX],
            h[T * B * H_MAX + 1], want[T * B * H_MAX];
        double gates[T * B * 4 * H_MAX], work[B * 3 * H_MAX], wide[4][3 * H_MAX * H_MAX];
        fill(dtype, T * B * 3 * H, xp);
        fill(dtype, 3 * H * H, w);
        fill(dtype, 3 * H, b);
        fill(dtype, B * H, h0);
        vdi_dtype_store(dtype, h, (int64_t)(T * B * H), 7);
        vdi_gru_forward(dtype, T, B, H, reverse, xp, w, b, with_h0 ? h0 : NULL, work, h,
                        q % 3 ? gates : NULL);
        CHECK(at(dtype, h, T * B * H) == 7, "written past the end");
        const void *from[4] = {xp, w, b, h0};
        const size_t count[4] = {T * B * 3 * H, 3 * H * H, 3 * H, B * H};
        for (int a = 0; a < 4; a++) {
            for (size_t i = 0; i < count[a]; i++)
                wide[a][i] = at(dtype, from[a], i);
        }
        plain(H, reverse, wide[0], wide[1], wide[2], with_h0 ? wide[3] : NULL, want);
        for (size_t i = 0; i < T * B * H; i++)
            CHECK_CLOSE(at(dtype, h, i), want[i], dtype == VDI_F32 ? 3e-6 : 1e-14);
        /* row 1 alone, step by step, in place */
        double one[H_MAX], scratch[3 * H_MAX];
        const size_t size = vdi_dtype_size(dtype);
        memset(one, 0, sizeof one);
        if (with_h0) memcpy(one, (char *)h0 + H * size, H * size);
        for (size_t s = 0; s < T; s++) {
            const size_t t = reverse ? T - 1 - s : s;
            vdi_gru_step(dtype, 1, H, (char *)xp + (t * B + 1) * 3 * H * size, w, b, one, scratch,
                         one, NULL);
            CHECK(memcmp(one, (char *)h + (t * B + 1) * H * size, H * size) == 0,
                  "%s %s H %zu: the bits depend on the batch", vdi_simd_name(vdi_simd_active()),
                  vdi_dtype_name(dtype), H);
        }
    }
}
TEST(rnn, forward) { each_path(forward); }

/* Many rows are stepped in blocks: each is what it is alone, the bits of its gates too. */
static void blocks(vdi_dtype dtype) {
    enum { ROWS = 150, H = 5 };
    double xp[ROWS * 3 * H], w[H * 3 * H], b[3 * H], h[ROWS * H], next[ROWS * H + 1],
        gates[ROWS * 4 * H], work[ROWS * 3 * H], one[H], one_gates[4 * H];
    const size_t size = vdi_dtype_size(dtype);
    fill(dtype, ROWS * 3 * H, xp);
    fill(dtype, H * 3 * H, w);
    fill(dtype, 3 * H, b);
    fill(dtype, ROWS * H, h);
    memset(next, 0, sizeof next);
    memset(gates, 0, sizeof gates);
    vdi_gru_step(dtype, ROWS, H, xp, w, b, h, work, next, gates);
    for (size_t r = 0; r < ROWS; r++) {
        vdi_gru_step(dtype, 1, H, (char *)xp + r * 3 * H * size, w, b, (char *)h + r * H * size,
                     work, one, one_gates);
        CHECK(memcmp(one, (char *)next + r * H * size, H * size) == 0 &&
                  memcmp(one_gates, (char *)gates + r * 4 * H * size, 4 * H * size) == 0,
              "%s: row %zu", vdi_dtype_name(dtype), r);
    }
}
TEST(rnn, many_rows) { each_path(blocks); }

/* L = sum c * h; its derivatives by central differences of the plain loop, in double. */
static double loss(size_t H, int reverse, double *const *p, const double *c) {
    double h[T * B * H_MAX], sum = 0;
    plain(H, reverse, p[0], p[1], p[2], p[3], h);
    for (size_t i = 0; i < T * B * H; i++)
        sum += c[i] * h[i];
    return sum;
}
static void backward(vdi_dtype dtype) {
    static const size_t sizes[] = {1, 5, 9};
    for (size_t q = 0; q < VDI__COUNT(sizes) * 4; q++) {
        const size_t H = sizes[q / 4], count[4] = {T * B * 3 * H, 3 * H * H, 3 * H, B * H};
        const int reverse = q & 1, with_h0 = (q >> 1) & 1;
        double xp[T * B * 3 * H_MAX], w[H_MAX * 3 * H_MAX], b[3 * H_MAX], h0[B * H_MAX],
            c[T * B * H_MAX];
        double *const p[4] = {xp, w, b, with_h0 ? h0 : NULL};
        double in[4][3 * H_MAX * H_MAX], out[4][3 * H_MAX * H_MAX], h[T * B * H_MAX],
            gates[T * B * 4 * H_MAX], dh[T * B * H_MAX];
        double *work = calloc(vdi_gru_backward_work(T, B, H), 8);
        fill(VDI_F64, count[0], xp);
        fill(VDI_F64, count[1], w);
        fill(VDI_F64, count[2], b);
        fill(VDI_F64, count[3], h0);
        fill(VDI_F64, T * B * H, c);
        const double *from[4] = {xp, w, b, h0};
        for (int a = 0; a < 4; a++) {
            for (size_t i = 0; i < count[a]; i++) {
                vdi_dtype_store(dtype, in[a], (int64_t)i, from[a][i]);
                vdi_dtype_store(dtype, out[a], (int64_t)i, 1);
            }
        }
        for (size_t i = 0; i < T * B * H; i++)
            vdi_dtype_store(dtype, dh, (int64_t)i, c[i]);
        vdi_gru_forward(dtype, T, B, H, reverse, in[0], in[1], in[2], with_h0 ? in[3] : NULL, work,
                        h, gates);
        vdi_gru_backward(dtype, T, B, H, reverse, in[1], with_h0 ? in[3] : NULL, h, gates, dh, work,
                         out[0], out[1], out[2], with_h0 ? out[3] : NULL);
        for (int a = 0; a < 3 + with_h0; a++) {
            for (size_t i = 0; i < count[a]; i++) {
                const double keep = p[a][i], step = 1e-5;
                p[a][i] = keep + step;
                double slope = loss(H, reverse, p, c);
                p[a][i] = keep - step;
                slope = (slope - loss(H, reverse, p, c)) / (2 * step);
                p[a][i] = keep;
                CHECK_CLOSE(at(dtype, out[a], i) - 1, slope, dtype == VDI_F32 ? 2e-5 : 1e-8);
            }
        }
        free(work);
    }
}
TEST(rnn, backward) { each_path(backward); }
