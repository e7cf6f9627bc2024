/* The pretrained network: preparation, network, inference, the simulator it was trained on, and
 * what it reaches */
#include "check.h"
#include "../include/vdi/model/pretrained/weights.h"

static vdi_error err;

/* ======== the simulator ======================================================================= */

/* Nothing but spikes at a constant rate, a linear dye without rise to speak of, and hardly any
 * noise. */
static vdi_population_desc plain_population(void) {
    vdi_population_desc p = vdi_population_desc_defaults();
    const vdi_span zero = {0, 0};
    p.fast_share = p.slow_share = p.episode_share = p.burst_share = p.slow_decay_share =
        p.rest_share = p.saturation_share = 0;
    p.second_share = p.third_share = p.latency_share = p.power_share = p.shot_share =
        p.bleach_share = 0;
    p.drift_share[0] = p.drift_share[1] = p.drift_share[2] = 0;
    p.linear_share = p.quick_share = p.middle_share = 1;
    p.low_share = 0;
    p.rate.low = p.rate.high = 2;
    p.refractory.low = p.refractory.high = 1e-4;
    p.tau.low = p.tau.high = 0.5;
    p.quick.low = p.quick.high = 1e-3;
    p.jump_cv = p.offset = zero;
    p.middle_frames.low = p.middle_frames.high = 40;
    p.window.low = p.window.high = 0.2;
    p.peak_snr.low = p.peak_snr.high = 1e5;
    return p;
}

enum { MAX_FRAMES = 8192, MAX_SPIKES = 16384, SIMULATED = 60 };
static float trace[MAX_FRAMES], again[MAX_FRAMES], clean[MAX_FRAMES];
static double spike[MAX_SPIKES], twice[MAX_SPIKES];

/* A cell is itself, whatever else is drawn; everything is finite and in order. */
TEST(pretrained, simulated_cells) {
    enum { CAPACITY = 4096 };
    vdi_population_desc p = vdi_population_desc_defaults();
    vdi_cell cell, same;
    CHECK_OK(vdi_population_desc_check(&p, &err), err);
    void *work = malloc(vdi_cell_memsize(&p));
    for (uint64_t i = 0; i < test_scaled(SIMULATED); i++) {
        const int64_t frames = vdi_population_draw(&p, 3, i, &cell);
        const int64_t n = vdi_cell_simulate(&p, &cell, work, trace, clean, spike, CAPACITY);
        CHECK(frames >= 4 && frames <= 8192 && n >= 0 && n < CAPACITY,
              "cell %d: %d frames, %d spikes", (int)i, (int)frames, (int)n);
        CHECK(vdi_count_nonfinite(VDI_F32, (size_t)frames, trace) == 0 &&
                  vdi_count_nonfinite(VDI_F32, (size_t)frames, clean) == 0,
              "finite");
        for (int64_t k = 1; k < n; k++) {
            if (spike[k] - spike[k - 1] < cell.refractory * 0.999)
                CHECK(0, "cell %d: spikes %g and %g", (int)i, spike[k - 1], spike[k]);
        }
        (void)vdi_population_draw(&p, 3, i + 1, &same);
        (void)vdi_population_draw(&p, 3, i, &same);
        CHECK(vdi_cell_simulate(&p, &same, work, again, NULL, twice, CAPACITY) == n &&
                  memcmp(trace, again, (size_t)frames * 4) == 0,
              "again");
    }
    free(work);
}

/* The plain cell: Poisson counts, and each frame the mean of the decays over its window. */
TEST(pretrained, simulated_plain_cells) {
    enum { CAPACITY = 4096 };
    const vdi_population_desc p = plain_population();
    vdi_cell cell;
    CHECK_OK(vdi_population_desc_check(&p, &err), err);
    void *work = malloc(vdi_cell_memsize(&p));
    double total = 0, worst = 0;
    const size_t cells = test_scaled(SIMULATED);
    for (uint64_t i = 0; i < cells; i++) {
        const int64_t frames = vdi_population_draw(&p, 5, i, &cell);
        const int64_t n = vdi_cell_simulate(&p, &cell, work, trace, clean, spike, CAPACITY);
        for (int64_t k = 0; k < n; k++)
            total += spike[k] >= 0 && spike[k] < 30;
        for (int64_t k = 400; k < frames; k++) {
            /* by then the spikes before the recording are forgotten */
            const double from = (double)k / 40 - 0.1 / 40, to = from + 0.2 / 40;
            double sum = 0;
            int near = 0;
            for (int64_t s = 0; s < n && spike[s] < to + 0.03; s++) {
                /* around the jump itself the grid and the rise show */
                near |= spike[s] > from - 0.03;
                if (spike[s] <= from) {
                    sum +=
                        0.5 / 0.005 * (exp(-(from - spike[s]) / 0.5) - exp(-(to - spike[s]) / 0.5));
                }
            }
            if (!near) worst = test_worst(worst, fabs(sum - (double)clean[k]) / (1 + sum));
        }
    }
    CHECK(worst < 0.01, "a frame is off by %g", worst);
    CHECK(fabs(total - 60 * (double)cells) < 5 * sqrt(60 * (double)cells), "%g spikes", total);
    free(work);
}

/* The noise is as loud as was asked for, in a frame of 1/40 s: peak / 2 at 30 Hz. */
TEST(pretrained, simulated_noise) {
    vdi_population_desc p = plain_population();
    vdi_cell cell;
    p.peak_snr.low = p.peak_snr.high = 2;
    p.rate.low = p.rate.high = 1e-6;
    void *work = malloc(vdi_cell_memsize(&p));
    const int64_t frames = vdi_population_draw(&p, 5, 1, &cell);
    CHECK(vdi_cell_simulate(&p, &cell, work, trace, NULL, spike, MAX_SPIKES) == 0, "no spikes");
    const double sd = sqrt(vdi_dot(VDI_F32, (size_t)frames, trace, trace) / (double)frames);
    CHECK_CLOSE(sd, 0.5 * sqrt(40.0 / 30), 0.06);
    free(work);

    p.tau.low = 1;
    CHECK_FAILS(vdi_population_desc_check(&p, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "tau"), "%s", err.message);
    CHECK(vdi_population_draw(&p, 1, 1, &cell) == -1, "a bad description draws nothing");
}

/* ======== preparation ========================================================================= */

enum { FRAMES = 1200 };
/* Spikes of a cell with some noise, at any rate. */
static void make_trace(double fps, int64_t frames, double *y) {
    unsigned long long seed = 99;
    double c = 0;
    for (int64_t i = 0; i < frames; i++) {
        c = c * exp(-1 / (0.4 * fps)) + (test_uniform(&seed) < 1.0 / fps ? 1 : 0);
        y[i] = c + 0.15 * test_normal(&seed) + 0.2 * sin((double)i / fps / 9);
    }
}

TEST(pretrained, preparation) {
    static double y[FRAMES], z[FRAMES];
    static const double rates[] = {7.5, 30, 122};
    for (int r = 0; r < 3; r++) {
        const double fps = rates[r];
        const size_t size = vdi_pretrained_prepare_memsize(FRAMES, fps);
        void *work[2] = {malloc(size), malloc(size)};
        vdi_prepared a, b;
        make_trace(fps, FRAMES, y);
        CHECK_OK(vdi_pretrained_prepare(VDI_F64, FRAMES, y, fps, work[0], size, &a, &err), err);
        CHECK(a.samples == vdi_pretrained_grid(FRAMES, fps), "samples");
        /* units do not matter */
        for (int i = 0; i < FRAMES; i++)
            z[i] = 300 * y[i] + 4000;
        CHECK_OK(vdi_pretrained_prepare(VDI_F64, FRAMES, z, fps, work[1], size, &b, &err), err);
        CHECK_CLOSE(b.scale / a.scale, 300, 0.01);
        for (int64_t i = 0; i < a.samples; i++)
            CHECK_CLOSE(a.x[i], b.x[i], 3e-3);
        for (int i = 0; i < VDI_PRETRAINED_STATS; i++)
            CHECK_CLOSE(a.stats[i], b.stats[i], 1e-2);
        /* a gap is a straight line; the ends are held */
        for (int i = 0; i < FRAMES; i++)
            z[i] = y[i];
        for (int i = 0; i < 7; i++)
            z[i] = y[7];
        for (int i = 500; i < 520; i++)
            z[i] = y[499] + (y[520] - y[499]) * (i - 499) / 21;
        CHECK_OK(vdi_pretrained_prepare(VDI_F64, FRAMES, z, fps, work[0], size, &a, &err), err);
        for (int i = 0; i < 7; i++)
            z[i] = i ? NAN : -INFINITY;
        for (int i = 500; i < 520; i++)
            z[i] = i % 2 ? NAN : INFINITY;
        CHECK_OK(vdi_pretrained_prepare(VDI_F64, FRAMES, z, fps, work[1], size, &b, &err), err);
        for (int64_t i = 0; i < a.samples; i++)
            CHECK_CLOSE(a.x[i], b.x[i], 1e-5);
        CHECK_FAILS(vdi_pretrained_prepare(VDI_F64, FRAMES, y, fps, work[0], size - 1, &a, &err),
                    VDI_ERR_MEMORY);
        free(work[0]);
        free(work[1]);
    }
    vdi_prepared a;
    CHECK_FAILS(vdi_pretrained_prepare(VDI_F64, 0, y, 30, y, sizeof y, &a, &err), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_pretrained_prepare(VDI_F64, 5, y, NAN, y, sizeof y, &a, &err),
                VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_pretrained_prepare(VDI_U8, 5, y, 30, y, sizeof y, &a, &err), VDI_ERR_DTYPE);
    CHECK(vdi_pretrained_grid(1, 30) == 1 && vdi_pretrained_grid(31, 30) == 61 &&
              vdi_pretrained_grid(1000000, 0.001) == -1,
          "grid");
}

/* Statistics whose values are known: white noise, and a saw tooth of rises. */
TEST(pretrained, statistics) {
    enum { N = 36000 };
    static float y[N];
    unsigned long long seed = 7;
    for (int i = 0; i < N; i++)
        y[i] = (float)test_normal(&seed);
    const size_t size = vdi_pretrained_prepare_memsize(N, 60);
    void *work = malloc(size);
    vdi_prepared a;
    CHECK_OK(vdi_pretrained_prepare(VDI_F32, N, y, 60, work, size, &a, &err), err);
    CHECK_CLOSE(a.noise, 1, 0.02);
    CHECK_CLOSE(a.scale, 1, 0.03);
    CHECK_CLOSE(a.stats[0], log(2.0), 1e-6);
    CHECK_CLOSE(a.stats[1], 0, 0.03);
    /* autocorrelations */
    for (int i = 2; i < 9; i++)
        CHECK_CLOSE(a.stats[i], 0, 0.05);
    CHECK_CLOSE(a.stats[9], 0, 0.1); /* skewness */
    /* sd of differences */
    for (int i = 11; i < 16; i += 2)
        CHECK_CLOSE(a.stats[i], 0.5 * log(2.0), 0.03);
    /* quantiles are symmetric */
    CHECK_CLOSE(a.stats[31], (a.stats[29] + a.stats[33]) / 2, 0.06);
    CHECK_CLOSE(a.stats[33] - a.stats[29], 2 * 2.326, 0.1);
    for (int i = 0; i < N; i++) {
        y[i] = (float)(i % 600 < 2 ? 0 : exp(-(i % 600 - 2) / 60.0)) +
               0.001f * (float)test_normal(&seed);
    }
    CHECK_OK(vdi_pretrained_prepare(VDI_F32, N, y, 60, work, size, &a, &err), err);
    static const int around[] = {-12, -6, -2, -1, 0, 1, 2, 4, 8, 16, 32, 64};
    for (int i = 0; i < 12; i++) {
        /* rises are seen from 3 samples before to 2 after the jump; after it the shape is the
         * decay */
        const double want = around[i] < -3  ? 0
                            : around[i] > 2 ? exp(-around[i] / 60.0)
                                            : 0.5 + around[i] / 6.0;
        CHECK_CLOSE(a.stats[17 + i], want, around[i] < -3 || around[i] > 2 ? 0.06 : 0.25);
    }
    free(work);
}

/* ======== the network ========================================================================= */

static vdi_pretrained *shipped(void) {
    vdi_pretrained *net = NULL;
    CHECK_OK(vdi_pretrained_create(&vdi_pretrained_shipped, NULL, &net, &err), err);
    return net;
}

/* Inference with folded weights against the network as it stands on the tape. */
TEST(pretrained, folded_is_unfolded) {
    enum { N = 600 };
    static float y[N], grid[2 * N];
    static double d[N];
    vdi_pretrained *net = shipped();
    vdi_tape *t;
    CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
    make_trace(30, N, d);
    for (int i = 0; i < N; i++)
        y[i] = (float)d[i];
    const size_t size = vdi_pretrained_memsize(net, N, 30);
    const size_t prepare = vdi_pretrained_prepare_memsize(N, 30);
    void *work = malloc(size);
    vdi_pretrained_result r = VDI__ZERO;
    r.grid = grid;
    CHECK_OK(vdi_pretrained_infer(net, VDI_F32, N, y, 30, work, size, &r, &err), err);
    vdi_prepared p;
    CHECK_OK(vdi_pretrained_prepare(VDI_F32, N, y, 30, work, prepare, &p, &err), err);
    const int64_t all = 2 * ((p.samples + 1) / 2) + 128;
    float *x = malloc((size_t)all * sizeof *x);
    for (int64_t i = 0; i < all; i++)
        x[i] = p.x[i < 64 ? 0 : i - 64 >= p.samples ? p.samples - 1 : i - 64];
    vdi_var rate = vdi_pretrained_apply(
        t, vdi_pretrained_desc_of(net), vdi_pretrained_params(net)->item,
        vdi_tape_constant(t, vdi_tensor_2d(x, VDI_F32, 1, all)),
        vdi_tape_constant(t, vdi_tensor_2d(p.stats, VDI_F32, 1, VDI_PRETRAINED_STATS)), NULL);
    CHECK_OK(vdi_tape_status(t, &err), err);
    const float *value = (const float *)vdi_tape_value(t, rate).data;
    for (int64_t i = 0; i < p.samples; i++)
        CHECK_CLOSE(grid[i], value[i + 64], 1e-5 + 1e-4 * (double)value[i + 64]);
    free(x);
    free(work);
    vdi_tape_destroy(t);
    vdi_pretrained_destroy(net);
}

/* Its gradient, in double, with every parameter free. */
typedef struct net_case {
    vdi_pretrained_desc d;
    vdi_params *params;
} net_case;
static vdi_var net_fn(vdi_tape *t, const vdi_var *x, void *user) {
    const net_case *c = (const net_case *)user;
    vdi_var clean, rate = vdi_pretrained_apply(t, &c->d, c->params->item, x[0], x[1], &clean);
    return vdi_var_concat(t, (vdi_var[]){rate, clean}, 2, 0);
}
TEST(pretrained, gradient) {
    net_case c = {{0}, NULL};
    vdi_param_desc list[VDI_PRETRAINED_PARAMS];
    static double x[2 * 24], stats[2 * VDI_PRETRAINED_STATS];
    unsigned long long seed = 5;
    vdi_rng rng = vdi_rng_make(1, 1);
    c.d.channels = 3;
    c.d.stem = 3;
    c.d.width = 3;
    c.d.layers = 2;
    c.d.hidden = 4;
    c.d.members = 2;
    const int64_t n = vdi_pretrained_declare(&c.d, list, VDI_PRETRAINED_PARAMS);
    CHECK_OK(vdi_params_create(list, n, VDI_F64, NULL, &rng, &c.params, &err), err);
    for (int i = 0; i < 48; i++)
        x[i] = test_normal(&seed);
    for (int i = 0; i < 2 * VDI_PRETRAINED_STATS; i++)
        stats[i] = test_normal(&seed) * 0.9;
    vdi_tensor in[2] = {vdi_tensor_2d(x, VDI_F64, 2, 24),
                        vdi_tensor_2d(stats, VDI_F64, 2, VDI_PRETRAINED_STATS)};
    vdi_check_desc desc = VDI__ZERO;
    desc.fn = net_fn;
    desc.user = &c;
    desc.inputs = 2;
    desc.input = in;
    desc.params = c.params;
    desc.step = 1e-6;
    vdi_check_report report;
    CHECK_OK(vdi_check_gradient(&desc, &report, &err), err);
    CHECK(report.worst < 1e-5 && report.checked > 300, "%s", report.text);
    vdi_params_destroy(c.params);
}

TEST(pretrained, packing) {
    vdi_pretrained *net = shipped(), *other;
    int64_t scales;
    const int64_t count = vdi_pretrained_pack(net, &scales, NULL, NULL);
    CHECK(count == vdi_pretrained_shipped.count, "count");
    float *scale = malloc((size_t)scales * sizeof *scale);
    int8_t *word = malloc((size_t)count);
    (void)vdi_pretrained_pack(net, NULL, scale, word);
    CHECK(memcmp(word, vdi_pretrained_shipped.word, (size_t)count) == 0,
          "what was packed is packed again to the same words");
    double worst = 0;
    for (int64_t i = 0; i < scales; i++)
        worst = test_worst(worst, fabs((double)(scale[i] / vdi_pretrained_shipped.scale[i]) - 1));
    CHECK(worst < 1e-6, "a scale is off by %g", worst);
    CHECK(count + 4 * scales <= 120000, "%lld bytes are not about a hundred kilobytes",
          (long long)(count + 4 * scales));
    free(word);
    free(scale);
    vdi_pretrained_weights lying = vdi_pretrained_shipped;
    lying.count--;
    CHECK_FAILS(vdi_pretrained_create(&lying, NULL, &other, &err), VDI_ERR_FORMAT);
    CHECK(other == NULL, "nothing is made");
    vdi_pretrained_desc d = VDI__ZERO;
    d.width = 4;
    CHECK_FAILS(vdi_pretrained_create_random(&d, NULL, NULL, &other, &err), VDI_ERR_ARGUMENT);
    d.width = 0;
    d.members = VDI_PRETRAINED_MEMBERS + 1;
    CHECK_FAILS(vdi_pretrained_create_random(&d, NULL, NULL, &other, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "members"), "%s", err.message);
    vdi_pretrained_destroy(net);
    for (long i = 1; i < 12; i++) { /* every allocation may fail, and nothing is left */
        test_allocator a = {0, i, 0, 0};
        const vdi_allocator allocator = test_allocator_of(&a);
        const vdi_status status =
            vdi_pretrained_create(&vdi_pretrained_shipped, &allocator, &other, &err);
        CHECK(status == VDI_OK || status == VDI_ERR_MEMORY, "%s", err.message);
        if (status == VDI_OK) vdi_pretrained_destroy(other);
        CHECK(a.live == 0, "%ld blocks left after failing request %ld", a.live, i);
    }
}

/* ======== inference =========================================================================== */

/* One trace through all outputs. Returns the status. */
typedef struct outputs {
    double *spikes, *probability, *denoised, *baseline, *grid;
    vdi_pretrained_result r;
    int64_t samples;
} outputs;
static vdi_status run(const vdi_pretrained *net, int64_t frames, const double *y, double fps,
                      outputs *o) {
    const size_t n = (size_t)frames, size = vdi_pretrained_memsize(net, frames, fps);
    memset(o, 0, sizeof *o);
    o->samples = vdi_pretrained_grid(frames, fps);
    o->spikes = calloc(n, 8);
    o->probability = calloc(n, 8);
    o->denoised = calloc(n, 8);
    o->baseline = calloc(n, 8);
    o->grid = calloc((size_t)o->samples, 8);
    o->r.spikes = o->spikes;
    o->r.probability = o->probability;
    o->r.denoised = o->denoised;
    o->r.baseline = o->baseline;
    o->r.grid = o->grid;
    unsigned char *work = malloc(size + 16);
    memset(work, 0xff, size + 16); /* NaN: nothing is read before it is written */
    const vdi_status status =
        vdi_pretrained_infer(net, VDI_F64, frames, y, fps, work, size, &o->r, &err);
    for (size_t i = size; i < size + 16; i++)
        CHECK(work[i] == 0xff, "written behind the work memory");
    free(work);
    return status;
}
static void outputs_free(outputs *o) {
    free(o->spikes);
    free(o->probability);
    free(o->denoised);
    free(o->baseline);
    free(o->grid);
}

TEST(pretrained, any_length_any_rate) {
    static const double rates[] = {0.5, 5, 7.8125, 29.97, 30, 60, 63, 63.1, 122.3, 500, 5000};
    static const int64_t lengths[] = {1, 2, 3, 4, 7, 30, 61, 301};
    static double y[FRAMES], nothing[FRAMES], same[FRAMES];
    vdi_pretrained *net = shipped();
    outputs o;
    for (int i = 0; i < FRAMES; i++) {
        nothing[i] = NAN;
        same[i] = 3.7;
    }
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            const int64_t n = lengths[l];
            const double fps = rates[r];
            make_trace(fps, n, y);
            CHECK_OK(run(net, n, y, fps, &o), err);
            double sum = 0, fine = 0;
            for (int64_t i = 0; i < n; i++) {
                sum += o.spikes[i];
                CHECK(o.spikes[i] >= 0 && o.probability[i] >= 0 && o.probability[i] <= 1 &&
                          o.denoised[i] - o.denoised[i] == 0,
                      "%g Hz, %d frames", fps, (int)n);
                CHECK_CLOSE(o.probability[i], 1 - exp(-o.spikes[i]), 1e-12);
            }
            for (int64_t i = 0; i < o.samples; i++)
                fine += o.grid[i];
            CHECK_CLOSE(sum, o.r.count, 1e-9 * (1 + sum));
            CHECK_CLOSE(fine, o.r.count, 1e-9 * (1 + fine));
            outputs_free(&o);
            /* a constant has no spikes, and is its own denoised trace */
            CHECK_OK(run(net, n, same, fps, &o), err);
            for (int64_t i = 0; i < n; i++) {
                CHECK(o.spikes[i] == 0 && fabs(o.denoised[i] - 3.7) < 1e-6, "constant: %g %g",
                      o.spikes[i], o.denoised[i]);
            }
            outputs_free(&o);
            CHECK_FAILS(run(net, n, nothing, fps, &o), VDI_ERR_DATA);
            outputs_free(&o);
        }
    }
    vdi_pretrained_destroy(net);
}

/* Float32 in, float32 out; too little memory; huge and tiny units. */
TEST(pretrained, types_memory_and_units) {
    static double y[FRAMES], same[FRAMES];
    static float f[FRAMES], s[FRAMES];
    vdi_pretrained *net = shipped();
    outputs o;
    make_trace(30, FRAMES, y);
    for (int i = 0; i < FRAMES; i++) {
        f[i] = (float)y[i];
        y[i] = (double)f[i];
    }
    CHECK_OK(run(net, FRAMES, y, 30, &o), err);
    const size_t size = vdi_pretrained_memsize(net, FRAMES, 30);
    void *work = malloc(size);
    vdi_pretrained_result r = VDI__ZERO;
    r.spikes = s;
    CHECK_OK(vdi_pretrained_infer(net, VDI_F32, FRAMES, f, 30, work, size, &r, &err), err);
    for (int i = 0; i < FRAMES; i++)
        CHECK(s[i] == (float)o.spikes[i], "float32");
    CHECK_FAILS(vdi_pretrained_infer(net, VDI_F32, FRAMES, f, 30, work, size - 1, &r, &err),
                VDI_ERR_MEMORY);
    CHECK_FAILS(vdi_pretrained_infer(net, VDI_F32, 0, f, 30, work, size, &r, &err),
                VDI_ERR_ARGUMENT);
    for (int k = -1; k <= 1; k += 2) {
        outputs u;
        for (int i = 0; i < FRAMES; i++)
            same[i] = y[i] * pow(10, 8 * k);
        CHECK_OK(run(net, FRAMES, same, 30, &u), err);
        CHECK_CLOSE(u.r.count, o.r.count, 1e-3 * o.r.count);
        outputs_free(&u);
    }
    free(work);
    outputs_free(&o);
    vdi_pretrained_destroy(net);
}

/* ======== what it reaches ===================================================================== */

static int rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum { TRUTH_CELLS = 300, TRUTH_WINDOW = 12 };

/* Counts in windows of 200 ms, in samples of 1/60 s: the truth and what was expected. */
typedef struct window_sums {
    int n;
    double expected, true_count, sx, sy, xx, yy, xy;
} window_sums;

static double true_spikes(const double *times, int64_t n, int64_t k) {
    double count = 0;
    for (int64_t s = 0; s < n; s++) {
        const double at = floor(times[s] * 60 + 0.5);
        count += at >= (double)k && at < (double)k + TRUTH_WINDOW;
    }
    return count;
}

/* P(N < count) + u P(N = count) of a Poisson number N: uniform, if that is how counts are
 * distributed. */
static double poisson_pit(double mean, double count, double u) {
    double cdf = 0, mass = exp(-mean);
    for (int q = 0; q < (int)count; q++) {
        cdf += mass;
        mass *= mean / (q + 1);
    }
    return cdf + u * mass;
}

/* The windows of a cell: their sums, and the uniform number of each to `pit`. */
static window_sums window_counts(const float *grid, int64_t samples, const double *times, int64_t n,
                                 vdi_rng *rng, double *pit) {
    window_sums w = VDI__ZERO;
    for (int64_t k = 30; k + TRUTH_WINDOW + 30 <= samples; k += TRUTH_WINDOW) {
        double mean = 0;
        for (int j = 0; j < TRUTH_WINDOW; j++)
            mean += (double)grid[k + j];
        const double count = true_spikes(times, n, k);
        pit[w.n++] = poisson_pit(mean, count, vdi_rng_uniform(rng));
        w.sx += mean;
        w.sy += count;
        w.xx += mean * mean;
        w.yy += count * count;
        w.xy += mean * count;
    }
    w.expected = w.sx;
    w.true_count = w.sy;
    return w;
}

static double window_correlation(const window_sums *w) {
    const double vx = w->xx - w->sx * w->sx / w->n, vy = w->yy - w->sy * w->sy / w->n;
    return vx > 0 ? (w->xy - w->sx * w->sy / w->n) / sqrt(vx * vy) : 0;
}

/* Kolmogorov and Smirnov's distance of n numbers, which it sorts, from the uniform distribution. */
static double uniform_distance(double *x, size_t n) {
    double worst = 0;
    qsort(x, n, sizeof *x, rising);
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fmax(fabs((double)(i + 1) / (double)n - x[i]),
                                 fabs((double)i / (double)n - x[i])));
    }
    return worst;
}

/* On unseen simulated cells: spikes follow the truth, and counts in windows of 200 ms are
 * distributed as they are said to be. */
TEST(pretrained, simulated_truth) {
    const size_t cells = test_scaled(TRUTH_CELLS);
    const vdi_population_desc p = vdi_population_desc_defaults();
    vdi_pretrained *net = shipped();
    vdi_rng rng = vdi_rng_make(11, 0);
    double *pit = malloc(cells * 200 * sizeof *pit);
    float *grid = malloc(2048 * sizeof *grid);
    void *draw = malloc(vdi_cell_memsize(&p));
    double expected = 0, true_count = 0, r = 0;
    size_t windows = 0, scored = 0;
    for (size_t i = 0; i < cells; i++) {
        vdi_cell cell;
        (void)vdi_population_draw(&p, 1000003, i, &cell);
        int64_t n = vdi_cell_simulate(&p, &cell, draw, trace, NULL, spike, MAX_SPIKES);
        if (n > MAX_SPIKES) n = MAX_SPIKES;
        const size_t size = vdi_pretrained_memsize(net, cell.frames, cell.frame_rate);
        void *work = malloc(size);
        vdi_pretrained_result result = VDI__ZERO;
        result.grid = grid;
        CHECK_OK(vdi_pretrained_infer(net, VDI_F32, cell.frames, trace, cell.frame_rate, work, size,
                                      &result, &err),
                 err);
        free(work);
        const window_sums w = window_counts(grid, vdi_pretrained_grid(cell.frames, cell.frame_rate),
                                            spike, n, &rng, pit + windows);
        windows += (size_t)w.n;
        /* counts are meant for cells that somebody would record: spikes at least as high as the
         * noise, rates of ordinary neurons */
        if (!cell.by_power && cell.snr >= 1 && w.true_count > 0.3 * 28 && w.true_count < 4 * 28) {
            expected += w.expected;
            true_count += w.true_count;
        }
        if (w.true_count < 3) continue;
        r += window_correlation(&w);
        scored++;
    }
    const double ks = uniform_distance(pit, windows);
    CHECK(ks < (cells == TRUTH_CELLS ? 0.05 : 0.1),
          "Kolmogorov-Smirnov distance %g over %zu windows", ks, windows);
    CHECK(r / (double)scored > 0.6, "mean correlation in 200 ms windows %g over %zu cells",
          r / (double)scored, scored);
    if (cells == TRUTH_CELLS) {
        CHECK(fabs(log(expected / true_count)) < 0.25, "%g spikes expected, %g true", expected,
              true_count);
    }
    free(pit);
    free(grid);
    free(draw);
    vdi_pretrained_destroy(net);
}

/* On recordings with known spikes (../shared/data/calcium), by the rules of the scorer: 40
 * ms bins, Pearson's r per neuron plain and after a Gaussian of 160 ms, area under the ROC curve,
 * and expected over true count; means over neurons, then over data sets. */
typedef struct neuron {
    char name[96], set[32];
    double *p, *z, *smooth_p, *smooth_z; /* (bins): its trials, one after the other */
    int bins;
    double expected, spikes;
} neuron;

static double pearson(const double *a, const double *b, int n) {
    double ma = 0;
    double mb = 0;
    double ab = 0;
    double aa = 0;
    double bb = 0;
    for (int i = 0; i < n; i++) {
        ma += a[i] / n;
        mb += b[i] / n;
    }
    for (int i = 0; i < n; i++) {
        ab += (a[i] - ma) * (b[i] - mb);
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* A Gaussian of 4 bins, cut at 16, reflected at the ends. */
static void smoothed(const double *x, int n, double *y) {
    for (int i = 0; i < n; i++) {
        double sum = 0, weight = 0;
        for (int j = -16; j <= 16; j++) {
            int k = i + j;
            while (k < 0 || k >= n)
                k = k < 0 ? -k - 1 : 2 * n - 1 - k;
            const double w = exp(-0.5 * j * j / 16.0);
            sum += w * x[k];
            weight += w;
        }
        y[i] = sum / weight;
    }
}

typedef struct scored_bin {
    double value;
    int hit;
} scored_bin;
static int by_value(const void *a, const void *b) {
    const double x = ((const scored_bin *)a)->value, y = ((const scored_bin *)b)->value;
    return x < y ? -1 : x > y;
}
static double roc_area(const neuron *n) {
    scored_bin *s = malloc((size_t)n->bins * sizeof *s);
    double hits = 0, ranks = 0;
    for (int i = 0; i < n->bins; i++) {
        s[i].value = n->p[i];
        s[i].hit = n->z[i] > 0;
        hits += s[i].hit;
    }
    qsort(s, (size_t)n->bins, sizeof *s, by_value);
    for (int i = 0, j; i < n->bins; i = j) { /* ties share their rank */
        double here = 0;
        for (j = i; j < n->bins && s[j].value == s[i].value; j++)
            here += s[j].hit;
        ranks += here * (i + 1 + j) / 2;
    }
    free(s);
    return (ranks - hits * (hits + 1) / 2) / (hits * (n->bins - hits));
}

/* The neuron of that name, or the next place of the list. */
static neuron *find_neuron(neuron *list, int *count, const char *set, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "%s %s", set, name);
    for (int i = 0; i < *count; i++)
        if (!strcmp(list[i].name, full)) return &list[i];
    neuron *n = &list[(*count)++];
    (void)vdi_text_copy(n->name, sizeof n->name, full);
    (void)vdi_text_copy(n->set, sizeof n->set, set);
    return n;
}

/* Adds a recording to its neuron: the estimate e (frames), interpolated at 100 Hz, and the true
 * spikes, both in bins of 40 ms. */
static void add_bins(neuron *n, const float *e, int64_t frames, double fps, vdi_tensor spikes) {
    const int bins = (int)ceil((double)(frames - 1) / fps / 0.01 - 1e-9) / 4;
    const int all = n->bins + bins;
    n->p = realloc(n->p, (size_t)all * 8);
    n->z = realloc(n->z, (size_t)all * 8);
    n->smooth_p = realloc(n->smooth_p, (size_t)all * 8);
    n->smooth_z = realloc(n->smooth_z, (size_t)all * 8);
    double *p = n->p + n->bins, *z = n->z + n->bins;
    for (int i = 0; i < bins; i++)
        p[i] = z[i] = 0;
    for (int i = 0; i < 4 * bins; i++) {
        const double at = i * 0.01 * fps;
        const int64_t k = (int64_t)at < frames - 2 ? (int64_t)at : frames - 2;
        p[i / 4] +=
            ((double)e[k] + (at - (double)k) * ((double)e[k + 1] - (double)e[k])) * fps * 0.01;
    }
    for (int64_t s = 0; s < vdi_tensor_count(spikes); s++) {
        const double at = floor((((const double *)spikes.data)[s] + 0.005) / 0.04);
        if (at >= 0 && at < bins) z[(int)at]++;
    }
    smoothed(p, bins, n->smooth_p + n->bins);
    smoothed(z, bins, n->smooth_z + n->bins);
    n->bins = all;
    n->spikes += (double)vdi_tensor_count(spikes);
}

static void add_recording(const vdi_pretrained *net, const vdi_json *r, neuron *n) {
    const char *stem = vdi_json_as_text(vdi_json_get(r, "stem"), "");
    const double fps = vdi_json_as_number(vdi_json_get(r, "frame_rate_hz"), 0);
    char path[2048];
    vdi_tensor y, spikes;
    snprintf(path, sizeof path, "%s/%s_dff.npy", shared_path("data/calcium"), stem);
    CHECK_OK(vdi_npy_load(path, NULL, &y, &err), err);
    snprintf(path, sizeof path, "%s/%s_spt.npy", shared_path("data/calcium"), stem);
    CHECK_OK(vdi_npy_load(path, NULL, &spikes, &err), err);
    const int64_t frames = vdi_tensor_count(y);
    const size_t size = vdi_pretrained_memsize(net, frames, fps);
    void *work = malloc(size);
    float *e = malloc((size_t)frames * sizeof *e);
    vdi_pretrained_result result = VDI__ZERO;
    result.spikes = e;
    CHECK_OK(vdi_pretrained_infer(net, VDI_F32, frames, y.data, fps, work, size, &result, &err),
             err);
    add_bins(n, e, frames, fps, spikes);
    n->expected += result.count;
    free(work);
    free(e);
    vdi_tensor_free(NULL, &y);
    vdi_tensor_free(NULL, &spikes);
}

TEST(pretrained, recordings) {
    NEED_NATIVE();
    NEED_SHARED("data/calcium/index.json");
    static neuron list[64];
    static const char *const key[4] = {"r25", "r160g", "AUC", "|ln count ratio|"};
    static const double bar[4] = {0.57, 0.85, 0.94, 0.405465};
    int neurons = 0, sets = 0, members[16] = {0};
    char set_of[16][32];
    double mean[16][4] = {{0}}, total[4] = {0};
    vdi_arena arena;
    const vdi_json *root;
    vdi_pretrained *net = shipped();
    vdi_arena_init(&arena, NULL, 0);
    CHECK_OK(vdi_json_load(shared_path("data/calcium/index.json"), &arena, &root, &err), err);
    for (const vdi_json *r = vdi_json_first(root); r; r = vdi_json_next(root, r)) {
        add_recording(net, r,
                      find_neuron(list, &neurons, vdi_json_as_text(vdi_json_get(r, "dataset"), ""),
                                  vdi_json_as_text(vdi_json_get(r, "neuron"), "")));
    }
    for (int i = 0; i < neurons; i++) {
        neuron *n = &list[i];
        int s = 0;
        while (s < sets && strcmp(set_of[s], n->set))
            s++;
        if (s == sets) strcpy(set_of[sets++], n->set);
        members[s]++;
        mean[s][0] += pearson(n->p, n->z, n->bins);
        mean[s][1] += pearson(n->smooth_p, n->smooth_z, n->bins);
        mean[s][2] += roc_area(n);
        mean[s][3] += fabs(log(n->expected / n->spikes));
        free(n->p);
        free(n->z);
        free(n->smooth_p);
        free(n->smooth_z);
    }
    CHECK(sets == 5 && neurons == 20, "%d sets, %d neurons", sets, neurons);
    for (int s = 0; s < sets; s++) {
        for (int k = 0; k < 4; k++)
            total[k] += mean[s][k] / members[s] / sets;
    }
    for (int k = 0; k < 4; k++) {
        CHECK(k < 3 ? total[k] >= bar[k] : total[k] <= bar[k], "%s is %.4f, the bar %.4f", key[k],
              total[k], bar[k]);
    }
    vdi_arena_free(&arena);
    vdi_pretrained_destroy(net);
}
