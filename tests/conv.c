/* conv1d, dilated or not: against direct loops, frame by frame against the whole, and its gradients
 * as adjoints */
#include "paths.h"

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

/* Does tap j at time t meet a sample, and which one? */
static bool met(const conv_case *c, size_t t, size_t j, size_t *sample) {
    *sample = t + j * c->step - c->pad;
    return t + j * c->step >= c->pad && *sample < c->t;
}

/* y(b,t,o) by direct loops, in the order that is promised. */
static double direct(vdi_dtype dtype, const conv_case *c, const void *x, const void *w,
                     const void *bias, size_t b, size_t t, size_t o) {
    double sum = bias ? at(dtype, bias, o) : 0;
    for (size_t j = 0; j < c->width; j++) {
        size_t s;
        if (!met(c, t, j, &s)) continue;
        for (size_t i = 0; i < c->cin; i++) {
            sum = chain(dtype, sum, at(dtype, x, (b * c->t + s) * c->cin + i),
                        at(dtype, w, (j * c->cin + i) * c->cout + o));
        }
    }
    return sum;
}

static double leaky_relu(vdi_dtype dtype, double z) {
    if (z > 0) return z;
    return dtype == VDI_F32 ? (double)((float)z * 0.2f) : z * 0.2;
}

/* The same bits where both fuse, NaN for NaN, else close. */
static bool agrees(vdi_dtype dtype, double got, double want) {
    if (want - want != 0) return got == got ? got == want : want != want;
    if (has_fma(vdi_simd_active())) return got == want;
    return fabs(got - want) <= (dtype == VDI_F32 ? 1e-5 : 1e-13);
}

static void forward_case(vdi_dtype dtype, int trial) {
    const conv_case c = random_case();
    const size_t nx = c.batch * c.t * c.cin;
    const size_t nw = c.width * c.cin * c.cout;
    const size_t ny = c.batch * c.t * c.cout;
    double *x = calloc(nx, 8);
    double *w = calloc(nw, 8);
    double *bias = calloc(c.cout, 8);
    double *y = calloc(ny + 1, 8);
    const int leaky = (int)below(2), biased = (int)below(2);
    const vdi_act act = leaky ? VDI_ACT_LEAKY_RELU : VDI_ACT_NONE;
    const void *added = biased ? bias : NULL;
    fill(dtype, nx, x);
    fill(dtype, nw, w);
    fill(dtype, c.cout, bias);
    fill(dtype, ny + 1, y);
    const double guard = at(dtype, y, ny);
    /* padding must not meet it */
    if (trial % 5 == 0) vdi_dtype_store(dtype, w, 0, (double)INFINITY);
    const vdi_conv1d_shape shape = shape_of(c);
    if (c.step == 1)
        vdi_conv1d(dtype, c.batch, c.t, c.cin, c.cout, c.width, c.pad, x, w, added, act, 0, y);
    else
        vdi_conv1d_dilated(dtype, &shape, x, w, added, act, 0, y);
    size_t wrong = 0;
    for (size_t b = 0; b < c.batch; b++) {
        for (size_t t = 0; t < c.t; t++) {
            for (size_t o = 0; o < c.cout; o++) {
                double want = direct(dtype, &c, x, w, added, b, t, o);
                if (leaky) want = leaky_relu(dtype, want);
                wrong += !agrees(dtype, at(dtype, y, (b * c.t + t) * c.cout + o), want);
            }
        }
    }
    CHECK(wrong == 0, "%s %s B %zu T %zu cin %zu cout %zu width %zu pad %zu step %zu: %zu differ",
          vdi_simd_name(vdi_simd_active()), vdi_dtype_name(dtype), c.batch, c.t, c.cin, c.cout,
          c.width, c.pad, c.step, wrong);
    CHECK(at(dtype, y, ny) == guard, "written past the end");
    free(x);
    free(w);
    free(bias);
    free(y);
}

static void forward(vdi_dtype dtype) {
    for (int trial = 0; trial < 150; trial++)
        forward_case(dtype, trial);
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

/* A layer, a cotangent dz of its output, and gradients: what they were, what they became. */
typedef struct conv_grad {
    conv_case c;
    size_t nx, nw, ny;
    double *x, *w, *y, *dz;
    double *dx, *dw, *db, *dx0, *dw0, *db0;
} conv_grad;

static conv_grad grad_make(vdi_dtype dtype) {
    conv_grad g;
    g.c = random_case();
    g.nx = g.c.batch * g.c.t * g.c.cin;
    g.nw = g.c.width * g.c.cin * g.c.cout;
    g.ny = g.c.batch * g.c.t * g.c.cout;
    g.x = calloc(g.nx, 8);
    g.w = calloc(g.nw, 8);
    g.y = calloc(g.ny, 8);
    g.dz = calloc(g.ny, 8);
    g.dx = calloc(g.nx, 8);
    g.dw = calloc(g.nw, 8);
    g.db = calloc(g.c.cout, 8);
    g.dx0 = calloc(g.nx, 8);
    g.dw0 = calloc(g.nw, 8);
    g.db0 = calloc(g.c.cout, 8);
    fill(dtype, g.nx, g.x);
    fill(dtype, g.nw, g.w);
    fill(dtype, g.ny, g.dz);
    fill(dtype, g.nx, g.dx);
    fill(dtype, g.nw, g.dw);
    fill(dtype, g.c.cout, g.db);
    memcpy(g.dx0, g.dx, g.nx * 8);
    memcpy(g.dw0, g.dw, g.nw * 8);
    memcpy(g.db0, g.db, g.c.cout * 8);
    return g;
}

static void grad_free(conv_grad *g) {
    free(g->x);
    free(g->w);
    free(g->y);
    free(g->dz);
    free(g->dx);
    free(g->dw);
    free(g->db);
    free(g->dx0);
    free(g->dw0);
    free(g->db0);
}

static void grad_run(vdi_dtype dtype, conv_grad *g, bool biased) {
    const conv_case c = g->c;
    const vdi_conv1d_shape shape = shape_of(c);
    void *db = biased ? g->db : NULL;
    double *work = calloc(g->nw, 8);
    CHECK(vdi_conv1d_grad_work(c.cin, c.cout, c.width) <= g->nw, "work");
    vdi_conv1d_dilated(dtype, &shape, g->x, g->w, NULL, VDI_ACT_NONE, 0, g->y);
    if (c.step == 1) {
        vdi_conv1d_grad_input(dtype, c.batch, c.t, c.cin, c.cout, c.width, c.pad, g->dz, g->w, work,
                              g->dx);
        vdi_conv1d_grad_weight(dtype, c.batch, c.t, c.cin, c.cout, c.width, c.pad, g->dz, g->x,
                               g->dw, db);
    } else {
        vdi_conv1d_dilated_grad_input(dtype, &shape, g->dz, g->w, work, g->dx);
        vdi_conv1d_dilated_grad_weight(dtype, &shape, g->dz, g->x, g->dw, db);
    }
    free(work);
}

/* y is linear in x and in w: <J u, v> = <u, J'v>; and the gradients add to what is there. */
static void grad_products(vdi_dtype dtype, const conv_grad *g, bool biased) {
    double forward_sum = 0;
    double input_sum = 0;
    double weight_sum = 0;
    double scale = 1;
    for (size_t i = 0; i < g->ny; i++) {
        forward_sum += at(dtype, g->y, i) * at(dtype, g->dz, i);
        scale += fabs(at(dtype, g->y, i));
    }
    for (size_t i = 0; i < g->nx; i++)
        input_sum += (at(dtype, g->dx, i) - at(dtype, g->dx0, i)) * at(dtype, g->x, i);
    for (size_t i = 0; i < g->nw; i++)
        weight_sum += (at(dtype, g->dw, i) - at(dtype, g->dw0, i)) * at(dtype, g->w, i);
    const double tol = (dtype == VDI_F32 ? 3e-6 : 1e-14) * scale;
    CHECK_CLOSE(input_sum, forward_sum, tol);
    CHECK_CLOSE(weight_sum, forward_sum, tol);
    for (size_t o = 0; o < g->c.cout; o++) {
        double want = at(dtype, g->db0, o);
        for (size_t r = 0; r < g->c.batch * g->c.t && biased; r++)
            want += at(dtype, g->dz, r * g->c.cout + o);
        CHECK_CLOSE(at(dtype, g->db, o), want, dtype == VDI_F32 ? 1e-4 : 1e-12);
    }
}

/* dw(j,i,o) by direct loops, in the order that is promised. */
static double direct_weight(vdi_dtype dtype, const conv_grad *g, size_t j, size_t i, size_t o) {
    const conv_case *c = &g->c;
    double sum = at(dtype, g->dw0, (j * c->cin + i) * c->cout + o);
    for (size_t b = 0; b < c->batch; b++) {
        for (size_t t = 0; t < c->t; t++) {
            size_t s;
            if (!met(c, t, j, &s)) continue;
            sum = chain(dtype, sum, at(dtype, g->x, (b * c->t + s) * c->cin + i),
                        at(dtype, g->dz, (b * c->t + t) * c->cout + o));
        }
    }
    return sum;
}

/* dx(b,s,i) by direct loops. */
static double direct_input(vdi_dtype dtype, const conv_grad *g, size_t b, size_t s, size_t i) {
    const conv_case *c = &g->c;
    double sum = at(dtype, g->dx0, (b * c->t + s) * c->cin + i);
    for (size_t j = 0; j < c->width; j++) {
        const size_t t = s + c->pad - j * c->step;
        if (s + c->pad < j * c->step || t >= c->t) continue;
        for (size_t o = 0; o < c->cout; o++) {
            sum += at(dtype, g->dz, (b * c->t + t) * c->cout + o) *
                   at(dtype, g->w, (j * c->cin + i) * c->cout + o);
        }
    }
    return sum;
}

static void grad_elements(vdi_dtype dtype, const conv_grad *g) {
    const conv_case *c = &g->c;
    const double near = dtype == VDI_F32 ? 2e-5 : 1e-13;
    size_t wrong = 0;
    for (size_t e = 0; e < g->nw; e++) {
        const size_t j = e / (c->cin * c->cout), i = e / c->cout % c->cin, o = e % c->cout;
        const double got = at(dtype, g->dw, e), want = direct_weight(dtype, g, j, i, o);
        wrong += has_fma(vdi_simd_active()) ? got != want : !(fabs(got - want) <= near);
    }
    CHECK(wrong == 0, "%zu elements of dw", wrong);
    for (size_t e = 0; e < g->nx; e++) {
        const size_t b = e / (c->t * c->cin), s = e / c->cin % c->t, i = e % c->cin;
        CHECK_CLOSE(at(dtype, g->dx, e), direct_input(dtype, g, b, s, i), near);
    }
}

static void gradients(vdi_dtype dtype) {
    for (int trial = 0; trial < 80; trial++) {
        conv_grad g = grad_make(dtype);
        grad_run(dtype, &g, trial % 2);
        grad_products(dtype, &g, trial % 2);
        grad_elements(dtype, &g);
        grad_free(&g);
    }
}
TEST(conv, gradients) { each_path(gradients); }
