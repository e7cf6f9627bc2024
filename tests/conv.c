/* conv1d, dilated or not: against direct loops, frame by frame against the whole, and its gradients
 * as adjoints */
#include "check.h"

static unsigned long long seed = 1234567891234567ULL;
static size_t below(size_t n) { return (size_t)(test_uniform(&seed) * (double)n); }
static void fill(vdi_dtype dtype, size_t n, void *p) {
    for (size_t i = 0; i < n; i++)
        vdi_dtype_store(dtype, p, (int64_t)i, test_uniform(&seed) - 0.5);
}
static double at(vdi_dtype dtype, const void *p, size_t i) {
    return vdi_dtype_load(dtype, p, (int64_t)i);
}
static double chain(vdi_dtype dtype, double c, double a, double b) {
    return dtype == VDI_F32 ? (double)fmaf((float)a, (float)b, (float)c) : fma(a, b, c);
}
static int fused(void) {
    const vdi_simd simd = vdi_simd_active();
    return simd == VDI_SIMD_AVX2 || simd == VDI_SIMD_AVX512 || simd == VDI_SIMD_NEON;
}

typedef struct conv_case {
    size_t batch, t, cin, cout, width, pad, step;
} conv_case;

static conv_case random_case(void) {
    conv_case c;
    c.batch = 1 + below(3);
    c.t = 1 + below(below(3) ? 40 : 8);
    c.cin = 1 + below(9);
    c.cout = 1 + below(20);
    c.width = 1 + below(12);
    c.step = below(2) ? 1 + below(5) : 1;
    c.pad = below(3) ? c.step * ((c.width - 1) / 2)
                     : below(c.step * (c.width - 1) + 1 + (c.step == 1 ? 2 : 0));
    return c;
}

static vdi_conv1d_shape shape_of(conv_case c) {
    vdi_conv1d_shape s = {0};
    s.batch = c.batch;
    s.t = c.t;
    s.cin = c.cin;
    s.cout = c.cout;
    s.width = c.width;
    s.pad_left = c.pad;
    s.dilation = c.step;
    return s;
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

static void forward(vdi_dtype dtype) {
    for (int trial = 0; trial < 150; trial++) {
        const conv_case c = random_case();
        const size_t nx = c.batch * c.t * c.cin;
        const size_t nw = c.width * c.cin * c.cout;
        const size_t ny = c.batch * c.t * c.cout;
        double *x = calloc(nx, 8);
        double *w = calloc(nw, 8);
        double *bias = calloc(c.cout, 8);
        double *y = calloc(ny + 1, 8);
        const int leaky = (int)below(2), biased = (int)below(2);
        fill(dtype, nx, x);
        fill(dtype, nw, w);
        fill(dtype, c.cout, bias);
        fill(dtype, ny + 1, y);
        const double guard = at(dtype, y, ny);
        /* padding must not meet it */
        if (trial % 5 == 0) vdi_dtype_store(dtype, w, 0, (double)INFINITY);
        const vdi_conv1d_shape shape = shape_of(c);
        if (c.step == 1) {
            vdi_conv1d(dtype, c.batch, c.t, c.cin, c.cout, c.width, c.pad, x, w,
                       biased ? bias : NULL, leaky ? VDI_ACT_LEAKY_RELU : VDI_ACT_NONE, 0, y);
        } else {
            vdi_conv1d_dilated(dtype, &shape, x, w, biased ? bias : NULL,
                               leaky ? VDI_ACT_LEAKY_RELU : VDI_ACT_NONE, 0, y);
        }
        size_t wrong = 0;
        for (size_t b = 0; b < c.batch; b++) {
            for (size_t t = 0; t < c.t; t++) {
                for (size_t o = 0; o < c.cout; o++) {
                    double want = biased ? at(dtype, bias, o) : 0;
                    for (size_t j = 0; j < c.width; j++) {
                        for (size_t i = 0;
                             i < c.cin && t + j * c.step >= c.pad && t + j * c.step - c.pad < c.t;
                             i++) {
                            want =
                                chain(dtype, want,
                                      at(dtype, x, (b * c.t + t + j * c.step - c.pad) * c.cin + i),
                                      at(dtype, w, (j * c.cin + i) * c.cout + o));
                        }
                    }
                    if (leaky && !(want > 0))
                        want = dtype == VDI_F32 ? (double)((float)want * 0.2f) : want * 0.2;
                    const double got = at(dtype, y, (b * c.t + t) * c.cout + o);
                    if (want - want != 0)
                        wrong += got == got ? got != want : want == want;
                    else if (fused())
                        wrong += got != want;
                    else
                        wrong += !(fabs(got - want) <= (dtype == VDI_F32 ? 1e-5 : 1e-13));
                }
            }
        }
        CHECK(wrong == 0,
              "%s %s B %zu T %zu cin %zu cout %zu width %zu pad %zu step %zu: %zu differ",
              vdi_simd_name(vdi_simd_active()), vdi_dtype_name(dtype), c.batch, c.t, c.cin, c.cout,
              c.width, c.pad, c.step, wrong);
        CHECK(at(dtype, y, ny) == guard, "written past the end");
        free(x);
        free(w);
        free(bias);
        free(y);
    }
}
TEST(conv, against_direct_loops) { each_path(forward); }

/* A causal filter fed one frame at a time, from a window of the last `width` frames, gives the bits
 * of the whole sequence. */
static void streaming(vdi_dtype dtype) {
    enum { T = 70, CIN = 5, COUT = 30, WIDTH = 9 };
    const size_t size = vdi_dtype_size(dtype);
    double x[T * CIN], w[WIDTH * CIN * COUT], bias[COUT], whole[T * COUT], part[WIDTH * COUT];
    fill(dtype, T * CIN, x);
    fill(dtype, WIDTH * CIN * COUT, w);
    fill(dtype, COUT, bias);
    vdi_conv1d(dtype, 1, T, CIN, COUT, WIDTH, WIDTH - 1, x, w, bias, VDI_ACT_LEAKY_RELU, 0, whole);
    for (size_t t = 0; t < T; t++) {
        const size_t start = t + 1 >= WIDTH ? t + 1 - WIDTH : 0, n = t + 1 - start;
        vdi_conv1d(dtype, 1, n, CIN, COUT, WIDTH, WIDTH - 1, (char *)x + start * CIN * size, w,
                   bias, VDI_ACT_LEAKY_RELU, 0, part);
        CHECK(memcmp((char *)part + (n - 1) * COUT * size, (char *)whole + t * COUT * size,
                     COUT * size) == 0,
              "%s %s frame %zu", vdi_simd_name(vdi_simd_active()), vdi_dtype_name(dtype), t);
    }
}
TEST(conv, streaming_is_batch) { each_path(streaming); }

/* y is linear in x and in w: <J u, v> = <u, J'v>; and the gradients add to what is there. */
static void gradients(vdi_dtype dtype) {
    for (int trial = 0; trial < 80; trial++) {
        const conv_case c = random_case();
        const size_t nx = c.batch * c.t * c.cin;
        const size_t nw = c.width * c.cin * c.cout;
        const size_t ny = c.batch * c.t * c.cout;
        double *x = calloc(nx, 8);
        double *w = calloc(nw, 8);
        double *y = calloc(ny, 8);
        double *dz = calloc(ny, 8);
        double *dx = calloc(nx, 8);
        double *dx0 = calloc(nx, 8);
        double *dw = calloc(nw, 8);
        double *dw0 = calloc(nw, 8);
        double *db = calloc(c.cout, 8);
        double *db0 = calloc(c.cout, 8);
        double *work = calloc(nw, 8);
        CHECK(vdi_conv1d_grad_work(c.cin, c.cout, c.width) <= nw, "work");
        fill(dtype, nx, x);
        fill(dtype, nw, w);
        fill(dtype, ny, dz);
        fill(dtype, nx, dx);
        fill(dtype, nw, dw);
        fill(dtype, c.cout, db);
        memcpy(dx0, dx, nx * 8);
        memcpy(dw0, dw, nw * 8);
        memcpy(db0, db, c.cout * 8);
        const vdi_conv1d_shape shape = shape_of(c);
        vdi_conv1d_dilated(dtype, &shape, x, w, NULL, VDI_ACT_NONE, 0, y);
        if (c.step == 1) {
            vdi_conv1d_grad_input(dtype, c.batch, c.t, c.cin, c.cout, c.width, c.pad, dz, w, work,
                                  dx);
            vdi_conv1d_grad_weight(dtype, c.batch, c.t, c.cin, c.cout, c.width, c.pad, dz, x, dw,
                                   trial % 2 ? db : NULL);
        } else {
            vdi_conv1d_dilated_grad_input(dtype, &shape, dz, w, work, dx);
            vdi_conv1d_dilated_grad_weight(dtype, &shape, dz, x, dw, trial % 2 ? db : NULL);
        }
        double forward_sum = 0;
        double input_sum = 0;
        double weight_sum = 0;
        double scale = 1;
        for (size_t i = 0; i < ny; i++) {
            forward_sum += at(dtype, y, i) * at(dtype, dz, i);
            scale += fabs(at(dtype, y, i));
        }
        for (size_t i = 0; i < nx; i++)
            input_sum += (at(dtype, dx, i) - at(dtype, dx0, i)) * at(dtype, x, i);
        for (size_t i = 0; i < nw; i++)
            weight_sum += (at(dtype, dw, i) - at(dtype, dw0, i)) * at(dtype, w, i);
        const double tol = (dtype == VDI_F32 ? 3e-6 : 1e-14) * scale;
        CHECK_CLOSE(input_sum, forward_sum, tol);
        CHECK_CLOSE(weight_sum, forward_sum, tol);
        for (size_t o = 0; o < c.cout; o++) {
            double want = at(dtype, db0, o);
            for (size_t r = 0; r < c.batch * c.t && trial % 2; r++)
                want += at(dtype, dz, r * c.cout + o);
            CHECK_CLOSE(at(dtype, db, o), want, dtype == VDI_F32 ? 1e-4 : 1e-12);
        }
        /* and element by element */
        size_t wrong = 0;
        const double near = dtype == VDI_F32 ? 2e-5 : 1e-13;
        for (size_t j = 0; j < c.width; j++) {
            for (size_t i = 0; i < c.cin; i++) {
                for (size_t o = 0; o < c.cout; o++) {
                    const size_t e = (j * c.cin + i) * c.cout + o;
                    double want = at(dtype, dw0, e);
                    for (size_t b = 0; b < c.batch; b++) {
                        for (size_t t = 0; t < c.t; t++) {
                            if (t + j * c.step >= c.pad && t + j * c.step - c.pad < c.t) {
                                want = chain(
                                    dtype, want,
                                    at(dtype, x, (b * c.t + t + j * c.step - c.pad) * c.cin + i),
                                    at(dtype, dz, (b * c.t + t) * c.cout + o));
                            }
                        }
                    }
                    wrong += fused() ? at(dtype, dw, e) != want
                                     : !(fabs(at(dtype, dw, e) - want) <= near);
                }
            }
        }
        CHECK(wrong == 0, "%zu elements of dw", wrong);
        for (size_t b = 0; b < c.batch; b++) {
            for (size_t s = 0; s < c.t; s++) {
                for (size_t i = 0; i < c.cin; i++) {
                    double want = at(dtype, dx0, (b * c.t + s) * c.cin + i);
                    for (size_t j = 0; j < c.width; j++) {
                        for (size_t o = 0; o < c.cout; o++) {
                            if (s + c.pad >= j * c.step && s + c.pad - j * c.step < c.t) {
                                want +=
                                    at(dtype, dz, (b * c.t + s + c.pad - j * c.step) * c.cout + o) *
                                    at(dtype, w, (j * c.cin + i) * c.cout + o);
                            }
                        }
                    }
                    CHECK_CLOSE(at(dtype, dx, (b * c.t + s) * c.cin + i), want, near);
                }
            }
        }
        free(x);
        free(w);
        free(y);
        free(dz);
        free(dx);
        free(dx0);
        free(dw);
        free(dw0);
        free(db);
        free(db0);
        free(work);
    }
}
TEST(conv, gradients) { each_path(gradients); }
