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
    p.tonic_share = p.silent_share = p.swift_share = 0;
    p.wave_share = p.outlier_share = p.dip_share = p.surge_share = p.clip_share = p.smooth_share =
        0;
    p.seconds.low = p.seconds.high = 30;
    p.ceiling.low = p.ceiling.high = 1e6;
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

enum { MAX_FRAMES = 40000, MAX_SPIKES = 65536, SIMULATED = 60 };
static float trace[MAX_FRAMES], again[MAX_FRAMES], clean[MAX_FRAMES];
static double spike[MAX_SPIKES], twice[MAX_SPIKES];

/* A cell is itself, whatever else is drawn; everything is finite and in order. */
TEST(pretrained, simulated_cells) {
    enum { CAPACITY = MAX_SPIKES };
    vdi_population_desc p = vdi_population_desc_defaults();
    vdi_cell cell, same;
    CHECK_OK(vdi_population_desc_check(&p, &err), err);
    void *work = malloc(vdi_cell_memsize(&p));
    for (uint64_t i = 0; i < test_scaled(SIMULATED); i++) {
        const int64_t frames = vdi_population_draw(&p, 3, i, &cell);
        const int64_t n = vdi_cell_simulate(&p, &cell, work, trace, clean, spike, CAPACITY);
        CHECK(frames >= 4 && frames <= MAX_FRAMES && n >= 0 && n < CAPACITY,
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

/* A slow dye answers late, by most of its rise; a quick one at once; none later than the limit. */
TEST(pretrained, simulated_latencies) {
    vdi_population_desc p = plain_population();
    vdi_cell cell;
    p.latency_share = 1;
    p.latency.low = p.latency.high = 0.5;
    p.latency_most = 0.02;
    for (int i = 0; i < 3; i++) {
        static const double rise[3] = {0.001, 0.06, 0.15}, late[3] = {1.0 / 62000, 0.02, 0.02};
        p.quick.low = p.quick.high = rise[i];
        (void)vdi_population_draw(&p, 2, 1, &cell);
        CHECK_CLOSE(cell.rise[0], rise[i], 1e-12);
        CHECK_CLOSE(-cell.delay, late[i], 1e-12);
    }
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

/* A cell of one property, and what it does to the trace. */
static int64_t one_cell(const vdi_population_desc *p, vdi_cell *cell) {
    void *work = malloc(vdi_cell_memsize(p));
    (void)vdi_population_draw(p, 1, 1, cell);
    const int64_t n = vdi_cell_simulate(p, cell, work, trace, NULL, spike, MAX_SPIKES);
    free(work);
    return n;
}

TEST(pretrained, kinds_of_cells) {
    enum { FRAMES = 1200 };
    vdi_cell cell;
    const vdi_population_desc plain = plain_population();
    /* silent: none; tonic: about the rate, evenly; no rate above the ceiling */
    vdi_population_desc p = plain;
    p.silent_share = 1;
    CHECK(one_cell(&p, &cell) == 0);
    p = plain;
    p.tonic_share = 1;
    p.tonic_rate.low = p.tonic_rate.high = 20;
    int64_t n = one_cell(&p, &cell);
    CHECK(fabs((double)n - 20 * 31.25) < 5 * sqrt(20 * 31.25), "%d spikes", (int)n);
    p.ceiling.low = p.ceiling.high = 1e-3; /* to which a tonic cell's own rate is added */
    n = one_cell(&p, &cell);
    CHECK(fabs((double)n - 10 * 31.25) < 5 * sqrt(10 * 31.25), "%d spikes", (int)n);
    /* bursts: the same rate of spikes, but close together */
    p = plain;
    p.burst_share = 1;
    p.rate.low = p.rate.high = 5;
    p.burst_chance.low = p.burst_chance.high = 0.8;
    n = one_cell(&p, &cell);
    int64_t close_by = 0;
    for (int64_t i = 1; i < n; i++)
        close_by += spike[i] - spike[i - 1] < 0.05;
    CHECK(n > 70 && n < 250 && close_by > n / 2, "%d of %d spikes in bursts", (int)close_by,
          (int)n);
    /* the rise is held to a share of the decay */
    p = plain;
    p.quick_share = 0;
    p.sluggish.low = p.sluggish.high = 0.35;
    (void)one_cell(&p, &cell);
    CHECK_CLOSE(cell.rise[0], p.rise_most * 0.5, 1e-12);
}

/* Artefacts on a silent trace of noise 1. */
TEST(pretrained, kinds_of_artefacts) {
    enum { FRAMES = 1200 };
    vdi_cell cell;
    vdi_population_desc p = plain_population();
    p.silent_share = 1;
    p.peak_snr.low = p.peak_snr.high = 1 / sqrt(40.0 / 30);
    (void)one_cell(&p, &cell);
    memcpy(again, trace, FRAMES * sizeof *again);
    const double peak = sqrt(vdi_dot(VDI_F32, FRAMES, again, again) / FRAMES); /* the noise */
    p.wave_share = 1;
    p.wave_rate.low = p.wave_rate.high = 1;
    p.wave_sd.low = p.wave_sd.high = 2;
    (void)one_cell(&p, &cell);
    const double louder = vdi_dot(VDI_F32, FRAMES, trace, trace) / FRAMES / (peak * peak);
    CHECK(fabs(louder - (1 + 4 * 30.0 / 40)) < 0.5, "a wave of variance %g", louder - 1);
    p.wave_share = 0;
    p.outlier_share = 1;
    p.outlier_onset.low = p.outlier_onset.high = 0.3;
    p.outlier.low = p.outlier.high = 20;
    (void)one_cell(&p, &cell);
    int wild = 0;
    for (int i = 0; i < FRAMES; i++)
        wild += fabs((double)trace[i]) > 6 * peak;
    CHECK(wild >= 2 && wild <= 20, "%d wild frames", wild);
    p.outlier_share = 0;
    p.dip_share = 1;
    p.dip_onset.low = p.dip_onset.high = 0.5;
    p.dip_length.low = p.dip_length.high = 1;
    p.dip.low = p.dip.high = 15;
    (void)one_cell(&p, &cell);
    int low = 0;
    for (int i = 0; i < FRAMES; i++)
        low += (double)trace[i] < -7 * peak;
    CHECK(low > 10 && low < FRAMES / 2, "%d frames in dips", low);
    p.dip_share = 0;
    p.clip_share = 1;
    p.clip.low = p.clip.high = 0.5;
    (void)one_cell(&p, &cell);
    float top = trace[0];
    int at_top = 0;
    for (int i = 0; i < FRAMES; i++)
        top = trace[i] > top ? trace[i] : top;
    for (int i = 0; i < FRAMES; i++)
        at_top += trace[i] == top;
    CHECK(at_top > FRAMES / 3, "%d frames at the top", at_top);
    p.clip_share = 0;
    p.smooth_share = 1;
    p.smooth.low = p.smooth.high = 1;
    (void)one_cell(&p, &cell);
    const double lag =
        vdi_dot(VDI_F32, FRAMES - 1, trace, trace + 1) / vdi_dot(VDI_F32, FRAMES, trace, trace);
    CHECK(fabs(lag - exp(-0.25)) < 0.1, "smoothed noise has autocorrelation %g", lag);
}

TEST(pretrained, fields_of_the_population) {
    const vdi_fields *table = vdi_population_desc_fields();
    vdi_population_desc p = vdi_population_desc_defaults();
    CHECK_OK(vdi_fields_set(table, &p, "rate.low", "0.5", &err), err);
    CHECK_OK(vdi_fields_set(table, &p, "burst_share", "0", &err), err);
    CHECK(p.rate.low == 0.5 && p.burst_share == 0);
    CHECK_OK(vdi_population_desc_check(&p, &err), err);
    p.burst_share = 1.5;
    CHECK_FAILS(vdi_population_desc_check(&p, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "burst_share"), "%s", err.message);
    p = vdi_population_desc_defaults();
    p.dip.low = p.dip.high + 1;
    CHECK_FAILS(vdi_population_desc_check(&p, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "dip.low"), "%s", err.message);
    p = vdi_population_desc_defaults();
    p.low_share = p.middle_share = 0.7;
    CHECK_FAILS(vdi_population_desc_check(&p, &err), VDI_ERR_ARGUMENT);
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

/* A steady drift leaves nothing behind, from half a second to the next neither: what is left in the
 * middle is the noise, which ends at 0.05. */
TEST(pretrained, a_drift_is_taken_away) {
    enum { LONG = 3000 };
    static double y[LONG];
    const double fps = 30;
    const size_t size = vdi_pretrained_prepare_memsize(LONG, fps);
    void *work = malloc(size);
    unsigned long long seed = 5;
    vdi_prepared a;
    for (int i = 0; i < LONG; i++)
        y[i] = 1 + 0.02 * i + 0.1 * (test_uniform(&seed) - 0.5);
    CHECK_OK(vdi_pretrained_prepare(VDI_F64, LONG, y, fps, work, size, &a, &err), err);
    double least = HUGE_VAL, most = -HUGE_VAL;
    for (int64_t i = a.samples / 2; i < a.samples / 2 + 300; i++) {
        least = fmin(least, (double)a.x[i] * a.scale);
        most = fmax(most, (double)a.x[i] * a.scale);
    }
    CHECK(most - least > 0.05 && most - least < 0.15, "what is left spans %g", most - least);
    free(work);
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
        /* a gap of less than a second is a straight line */
        const int gap = (int)(0.6 * fps);
        for (int i = 0; i < FRAMES; i++) {
            z[i] = y[i];
            if (i >= 500 && i < 500 + gap)
                z[i] = y[499] + (y[500 + gap] - y[499]) * (i - 499) / (gap + 1);
        }
        CHECK_OK(vdi_pretrained_prepare(VDI_F64, FRAMES, z, fps, work[0], size, &a, &err), err);
        for (int i = 500; i < 500 + gap; i++)
            z[i] = i % 2 ? NAN : INFINITY;
        CHECK_OK(vdi_pretrained_prepare(VDI_F64, FRAMES, z, fps, work[1], size, &b, &err), err);
        CHECK(b.segments == 1 && b.samples == a.samples);
        for (int64_t i = 0; i < a.samples; i++)
            CHECK_CLOSE(a.x[i], b.x[i], 0.01 + 0.01 * fabs((double)a.x[i]));
        /* what is missing at the ends is not there */
        CHECK_OK(vdi_pretrained_prepare(VDI_F64, FRAMES - 17, y + 7, fps, work[0], size, &a, &err),
                 err);
        for (int i = 0; i < FRAMES; i++)
            z[i] = i < 7 || i >= FRAMES - 10 ? NAN : y[i];
        CHECK_OK(vdi_pretrained_prepare(VDI_F64, FRAMES, z, fps, work[1], size, &b, &err), err);
        CHECK(b.segments == 1 && b.samples == a.samples && b.segment[0].frame == 7);
        CHECK(b.noise == a.noise && b.scale == a.scale);
        CHECK(memcmp(a.x, b.x, (size_t)a.samples * sizeof *a.x) == 0);
        CHECK(memcmp(a.stats, b.stats, sizeof a.stats) == 0);
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
    CHECK_CLOSE(a.stats[2], log(601.0), 1e-6); /* the length in seconds */
    for (int i = 3; i < 12; i++)
        CHECK_CLOSE(a.stats[i], 0, 0.05);
    CHECK_CLOSE(a.stats[12], 0, 0.1); /* skewness */
    /* sd of differences */
    for (int i = 14; i < 19; i += 2)
        CHECK_CLOSE(a.stats[i], 0.5 * log(2.0), 0.03);
    /* quantiles are symmetric */
    CHECK_CLOSE(a.stats[34], (a.stats[32] + a.stats[36]) / 2, 0.06);
    CHECK_CLOSE(a.stats[36] - a.stats[32], 2 * 2.326, 0.1);
    CHECK_CLOSE(a.stats[37] - a.stats[34], 3.09, 0.15); /* one in a thousand */
    CHECK(a.stats[38] < -6, "few samples at the top: %g", a.stats[38]);
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
        CHECK_CLOSE(a.stats[20 + i], want, around[i] < -3 || around[i] > 2 ? 0.06 : 0.25);
    }
    for (int i = 0; i < N; i++)
        y[i] = fminf(y[i], 0.5f); /* cut off: a tenth of the samples is at the top */
    CHECK_OK(vdi_pretrained_prepare(VDI_F32, N, y, 60, work, size, &a, &err), err);
    CHECK(a.stats[38] > log(0.07), "many samples at the top: %g", a.stats[38]);
    free(work);
}

/* ======== the network ========================================================================= */

static vdi_pretrained *shipped(void) {
    vdi_pretrained *net = NULL;
    CHECK_OK(vdi_pretrained_create(&vdi_pretrained_shipped, NULL, &net, &err), err);
    return net;
}

/* Inference with folded weights against the network as it stands on the tape. */
/* What inference says of N frames, in one window or in several, against the network on a tape. */
static void fold_and_unfold(int64_t N, double fps) {
    enum { MOST = 18000 };
    static float y[MOST], grid[MOST], spread[MOST];
    static double d[MOST];
    vdi_pretrained *net = shipped();
    vdi_tape *t;
    CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
    make_trace(fps, N, d);
    for (int64_t i = 0; i < N; i++)
        y[i] = (float)d[i];
    const size_t size = vdi_pretrained_memsize(net, N, fps);
    const size_t prepare = vdi_pretrained_prepare_memsize(N, fps);
    void *work = malloc(size);
    vdi_pretrained_result r = VDI__ZERO;
    r.grid = grid;
    r.spread = spread;
    CHECK_OK(vdi_pretrained_infer(net, VDI_F32, N, y, fps, work, size, &r, &err), err);
    vdi_prepared p;
    CHECK_OK(vdi_pretrained_prepare(VDI_F32, N, y, fps, work, prepare, &p, &err), err);
    const int64_t all = (p.samples + 7) / 8 * 8 + 128;
    float *x = malloc((size_t)all * sizeof *x);
    for (int64_t i = 0; i < all; i++)
        x[i] = p.x[i < 64 ? 0 : i - 64 >= p.samples ? p.samples - 1 : i - 64];
    const vdi_pretrained_vars said = vdi_pretrained_apply(
        t, vdi_pretrained_desc_of(net), vdi_pretrained_params(net)->item,
        vdi_tape_constant(t, vdi_tensor_2d(x, VDI_F32, 1, all)),
        vdi_tape_constant(t, vdi_tensor_2d(p.stats, VDI_F32, 1, VDI_PRETRAINED_STATS)));
    CHECK_OK(vdi_tape_status(t, &err), err);
    const float *value = (const float *)vdi_tape_value(t, said.spikes).data;
    const float *wide = (const float *)vdi_tape_value(t, said.spread).data;
    for (int64_t i = 0; i < p.samples; i++) {
        CHECK_CLOSE(grid[i], value[i + 64], 1e-5 + 1e-4 * (double)value[i + 64]);
        CHECK_CLOSE(spread[i], wide[i + 64], 1e-5 + 1e-4 * (double)wide[i + 64]);
    }
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
    const vdi_pretrained_vars v = vdi_pretrained_apply(t, &c->d, c->params->item, x[0], x[1]);
    return vdi_var_concat(t, (vdi_var[]){v.spikes, v.clean, v.spread}, 3, 0);
}

TEST(pretrained, folded_is_unfolded) {
    fold_and_unfold(600, 30);
    fold_and_unfold(17000, 60); /* three windows */
}
TEST(pretrained, gradient) {
    net_case c = {{0}, NULL};
    vdi_param_desc list[VDI_PRETRAINED_PARAMS];
    static double x[2 * 22], stats[2 * VDI_PRETRAINED_STATS];
    unsigned long long seed = 5;
    vdi_rng rng = vdi_rng_make(1, 1);
    c.d.channels = 3;
    c.d.stem = 3;
    c.d.width = 3;
    c.d.layers = 2;
    c.d.context = 2;
    c.d.hidden = 4;
    c.d.members = 2;
    const int64_t n = vdi_pretrained_declare(&c.d, list, VDI_PRETRAINED_PARAMS);
    CHECK_OK(vdi_params_create(list, n, VDI_F64, NULL, &rng, &c.params, &err), err);
    for (int i = 0; i < 44; i++)
        x[i] = test_normal(&seed);
    for (int i = 0; i < 2 * VDI_PRETRAINED_STATS; i++)
        stats[i] = test_normal(&seed) * 0.9;
    vdi_tensor in[2] = {vdi_tensor_2d(x, VDI_F64, 2, 22),
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
    CHECK(count + 4 * scales <= 400000, "%lld bytes are more than 400 kB",
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
    double *spikes, *deviation, *probability, *denoised, *baseline, *grid;
    vdi_pretrained_result r;
    int64_t samples;
} outputs;
static vdi_status run(const vdi_pretrained *net, int64_t frames, const double *y, double fps,
                      outputs *o) {
    const size_t n = (size_t)frames, size = vdi_pretrained_memsize(net, frames, fps);
    memset(o, 0, sizeof *o);
    o->samples = vdi_pretrained_grid(frames, fps);
    o->spikes = calloc(n, 8);
    o->deviation = calloc(n, 8);
    o->probability = calloc(n, 8);
    o->denoised = calloc(n, 8);
    o->baseline = calloc(n, 8);
    o->grid = calloc((size_t)o->samples, 8);
    o->r.spikes = o->spikes;
    o->r.deviation = o->deviation;
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
    free(o->deviation);
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
                /* spread takes from the chance of a spike, and adds to the deviation */
                CHECK(o.probability[i] <= 1 - exp(-o.spikes[i]) + 1e-12 &&
                      o.deviation[i] >= sqrt(o.spikes[i]) - 1e-12);
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

/* What windows of 200 ms of simulated cells show. */
typedef struct windows {
    double *all;                 /* probability integral transforms of all windows */
    size_t seen, many;           /* all, and those with more than two expected */
    double error, told, poisson; /* of these: squared error, variance as told, as Poisson's */
    double r;
    size_t scored;
} windows;
enum { WINDOW = 12, MOST_SAMPLES = 4096 };

/* P(count < n) and P(count = n) of a negative binomial count of expectation M and spread A. */
static void count_chances(double M, double A, int n, double *below, double *at) {
    double mass = exp(-log1p(A * M) / A);
    *below = 0;
    for (int q = 0; q < n; q++) {
        *below += mass;
        mass *= (q + 1 / A) / (q + 1) * A * M / (1 + A * M);
    }
    *at = mass;
}

static void read_windows(windows *w, vdi_rng *rng, const float *grid, const float *spread,
                         int64_t samples, const double *times, int64_t n) {
    double sx = 0, sy = 0, xx = 0, yy = 0, xy = 0;
    int m = 0;
    for (int64_t k = 36; k + WINDOW + 36 <= samples; k += WINDOW, m++) {
        double mean = 1e-9, width = 1e-6, count = 0, below, at;
        for (int j = 0; j < WINDOW; j++) {
            mean += (double)grid[k + j];
            width += (double)spread[k + j] / WINDOW;
        }
        for (int64_t s = 0; s < n; s++) {
            const double where = floor(times[s] * 60 + 0.5);
            count += where >= (double)k && where < (double)k + WINDOW;
        }
        count_chances(mean, width, (int)count, &below, &at);
        const double u = vdi_rng_uniform(rng);
        w->all[w->seen++] = below + u * at;
        if (mean > 2) {
            w->error += (count - mean) * (count - mean);
            w->told += mean + width * mean * mean;
            w->poisson += mean;
            w->many++;
        }
        sx += mean;
        sy += count;
        xx += mean * mean;
        yy += count * count;
        xy += mean * count;
    }
    const double vx = xx - sx * sx / m, vy = yy - sy * sy / m;
    if (!(sy >= 3)) return;
    w->r += vx > 0 && vy > 0 ? (xy - sx * sy / m) / sqrt(vx * vy) : 0;
    w->scored++;
}

/* The largest distance of the distribution of x from the uniform one. */
static double uniform_distance(double *x, size_t n) {
    double most = 0;
    qsort(x, n, sizeof *x, rising);
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)(i + 1) / (double)n - x[i]));
        most = fmax(most, fabs((double)i / (double)n - x[i]));
    }
    return most;
}

/* On unseen simulated cells: spikes follow the truth, and counts in windows of 200 ms are
 * distributed as they are said to be, in bursts too. */
TEST(pretrained, simulated_truth) {
    enum { CELLS = 300 };
    static float grid[MOST_SAMPLES], spread[MOST_SAMPLES];
    const size_t cells = test_scaled(CELLS);
    vdi_population_desc p = vdi_population_desc_defaults();
    p.seconds.high = 60;
    vdi_pretrained *net = shipped();
    vdi_rng rng = vdi_rng_make(11, 0);
    windows w = {NULL, 0, 0, 0, 0, 0, 0, 0};
    w.all = malloc(cells * 320 * sizeof *w.all);
    void *draw = malloc(vdi_cell_memsize(&p));
    for (size_t i = 0; i < cells; i++) {
        vdi_cell cell;
        (void)vdi_population_draw(&p, 1000003, i, &cell);
        int64_t n = vdi_cell_simulate(&p, &cell, draw, trace, NULL, spike, MAX_SPIKES);
        const size_t size = vdi_pretrained_memsize(net, cell.frames, cell.frame_rate);
        void *work = malloc(size);
        vdi_pretrained_result r = VDI__ZERO;
        r.grid = grid;
        r.spread = spread;
        CHECK_OK(vdi_pretrained_infer(net, VDI_F32, cell.frames, trace, cell.frame_rate, work, size,
                                      &r, &err),
                 err);
        free(work);
        read_windows(&w, &rng, grid, spread, vdi_pretrained_grid(cell.frames, cell.frame_rate),
                     spike, n < MAX_SPIKES ? n : MAX_SPIKES);
    }
    const bool whole = cells == CELLS;
    const double all = uniform_distance(w.all, w.seen);
    CHECK(all < (whole ? 0.12 : 0.2), "%zu windows are off by %g", w.seen, all);
    CHECK(!whole || (w.error > 0.5 * w.told && w.error < 2 * w.told),
          "%zu windows of two spikes or more: squared error %g, told %g, as Poisson counts %g",
          w.many, w.error, w.told, w.poisson);
    CHECK(!whole || w.error > 2 * w.poisson, "as Poisson counts they would do: %g, %g", w.error,
          w.poisson);
    CHECK(w.r / (double)w.scored > 0.6, "mean correlation in 200 ms windows %g over %zu cells",
          w.r / (double)w.scored, w.scored);
    free(w.all);
    free(draw);
    vdi_pretrained_destroy(net);
}

/* Inputs as they come: a linear cell of 100 spikes in 300 s at 30 Hz, and what is done to it. */
static double found(const vdi_pretrained *net, const double *y, int n, int from, int to) {
    outputs o;
    double sum = 0;
    CHECK_OK(run(net, n, y, 30, &o), err);
    for (int t = from; t < to; t++)
        sum += o.spikes[t];
    outputs_free(&o);
    return sum;
}

TEST(pretrained, inputs_as_they_come) {
    enum { T = 9000 };
    static double y[T], z[T];
    unsigned long long seed = 3;
    vdi_pretrained *net = shipped();
    double c = 0;
    outputs o;
    for (int t = 0; t < T; t++) {
        c = c * exp(-1 / 18.0) + (test_uniform(&seed) < 1 / 90.0 ? 0.3 : 0);
        y[t] = c + 0.1 * test_normal(&seed);
    }
    const double all = found(net, y, T, 0, T);
    CHECK(all > 50 && all < 300, "%g spikes", all);
    /* the end is missing: as if it were not there, no spikes in it, and NaN on request */
    memcpy(z, y, sizeof z);
    for (int t = 4400; t < T; t++)
        z[t] = NAN;
    CHECK_CLOSE(found(net, z, T, 0, 4400), found(net, y, 4400, 0, 4400), 1e-6 * all);
    CHECK(found(net, z, T, 4400, T) == 0);
    CHECK_OK(run(net, T, z, 30, &o), err);
    o.r.mark_missing = true;
    const size_t size = vdi_pretrained_memsize(net, T, 30);
    void *work = malloc(size);
    CHECK_OK(vdi_pretrained_infer(net, VDI_F64, T, z, 30, work, size, &o.r, &err), err);
    free(work);
    CHECK(isfinite(o.spikes[4399]) && isnan(o.spikes[4400]) && isnan(o.denoised[T - 1]) &&
          isnan(o.deviation[5000]));
    double fine = 0;
    for (int64_t i = 0; i < o.samples; i++)
        fine += o.grid[i];
    CHECK_CLOSE(fine, o.r.count, 1e-9 * fine);
    outputs_free(&o);
    /* a hole of ten seconds; the grid still adds up */
    memcpy(z, y, sizeof z);
    for (int t = 3001; t < 3300; t++)
        z[t] = t % 2 ? INFINITY : NAN;
    CHECK(found(net, z, T, 3001, 3300) == 0);
    CHECK_CLOSE(found(net, z, T, 0, 3000), found(net, y, T, 0, 3000), 0.05 * all);
    CHECK_OK(run(net, T, z, 30, &o), err);
    fine = 0;
    for (int64_t i = 0; i < o.samples; i++)
        fine += o.grid[i];
    CHECK_CLOSE(fine, o.r.count, 1e-9 * fine);
    outputs_free(&o);
    /* every other frame missing: as the trace of half the rate */
    memcpy(z, y, sizeof z);
    for (int t = 1; t < T; t += 2)
        z[t] = NAN;
    static double half[T / 2];
    for (int t = 0; t < T / 2; t++)
        half[t] = y[2 * t];
    CHECK_OK(run(net, T / 2, half, 15, &o), err);
    const double at_half_rate = o.r.count;
    outputs_free(&o);
    CHECK_CLOSE(found(net, z, T, 0, T), at_half_rate, 0.1 * at_half_rate);
    /* one wild frame, and a constant of any size */
    memcpy(z, y, sizeof z);
    z[4500] += 5;
    CHECK_CLOSE(found(net, z, T, 0, T), all, 0.25 * all);
    for (int t = 0; t < T; t++)
        z[t] = y[t] + 1e6;
    CHECK_CLOSE(found(net, z, T, 0, T), all, 0.02 * all);
    vdi_pretrained_destroy(net);
}

/* Trials of a neuron in one trace, with NaN between them, share their statistics. */
TEST(pretrained, trials) {
    enum { TRIALS = 8, T = 150, GAP = 60 };
    static double y[TRIALS * (T + GAP)], one[T];
    unsigned long long seed = 21;
    vdi_pretrained *net = shipped();
    outputs all, alone;
    for (int i = 0; i < TRIALS; i++) {
        double c = 0;
        for (int t = 0; t < T; t++) {
            c = c * exp(-1 / 12.0) + (test_uniform(&seed) < 0.02 * (i % 3) ? 1 : 0);
            y[i * (T + GAP) + t] = c + 0.2 * test_normal(&seed);
        }
        for (int t = T; t < T + GAP; t++)
            y[i * (T + GAP) + t] = NAN;
    }
    const int n = TRIALS * (T + GAP);
    const size_t size = vdi_pretrained_prepare_memsize(n, 30);
    void *work = malloc(size);
    vdi_prepared p;
    CHECK_OK(vdi_pretrained_prepare(VDI_F64, n, y, 30, work, size, &p, &err), err);
    CHECK(p.segments == TRIALS && p.points == TRIALS * T && p.samples == TRIALS * (2 * T - 1));
    for (int i = 0; i < TRIALS; i++) {
        CHECK(p.segment[i].frame == i * (T + GAP) && p.segment[i].frames == T &&
              p.segment[i].sample == i * (2 * T - 1));
    }
    CHECK_CLOSE(p.stats[2], log((double)p.samples / 60 + 1), 1e-6);
    free(work);
    CHECK_OK(run(net, n, y, 30, &all), err);
    memcpy(one, y + 2 * (T + GAP), sizeof one);
    CHECK_OK(run(net, T, one, 30, &alone), err);
    double differ = 0;
    for (int t = 0; t < T; t++)
        differ += fabs(alone.spikes[t] - all.spikes[2 * (T + GAP) + t]);
    CHECK(differ > 1e-6, "the other trials have no say");
    outputs_free(&all);
    outputs_free(&alone);
    vdi_pretrained_destroy(net);
}

/* On recordings with known spikes (../shared/data): one trace at a time, the scores of
 * score/spikes.h per neuron, means over neurons, then over data sets. */
enum { MOST_TRIALS = 64, MOST_NEURONS = 64, MOST_SETS = 8, MEASURES = 3 };
typedef struct neuron {
    char name[128], set[32];
    vdi_score_train trial[MOST_TRIALS];
    vdi_tensor estimate[MOST_TRIALS], truth[MOST_TRIALS];
    int trials;
} neuron;

static neuron *neuron_of(neuron *list, int *count, const char *set, const char *name) {
    for (int i = 0; i < *count; i++)
        if (!strcmp(list[i].name, name) && !strcmp(list[i].set, set)) return &list[i];
    neuron *n = &list[(*count)++];
    memset(n, 0, sizeof *n);
    (void)vdi_text_copy(n->name, sizeof n->name, name);
    (void)vdi_text_copy(n->set, sizeof n->set, set);
    return n;
}

/* Expected spikes of one recording, behind those of its neuron. */
static void infer_recording(const vdi_pretrained *net, const char *folder, const vdi_json *row,
                            neuron *n) {
    char path[2048], name[512];
    const char *stem = vdi_json_as_text(vdi_json_get(row, "stem"), "");
    const double fps = vdi_json_as_number(vdi_json_get(row, "frame_rate_hz"), 0);
    vdi_tensor y, *estimate = &n->estimate[n->trials], *truth = &n->truth[n->trials];
    snprintf(name, sizeof name, "%s/%s_dff.npy", folder, stem);
    CHECK_OK(vdi_npy_load(shared_path(name), NULL, &y, &err), err);
    snprintf(name, sizeof name, "%s/%s_spt.npy", folder, stem);
    snprintf(path, sizeof path, "%s", shared_path(name));
    CHECK_OK(vdi_npy_load(path, NULL, truth, &err), err);
    const int64_t frames = vdi_tensor_count(y);
    const size_t size = vdi_pretrained_memsize(net, frames, fps);
    void *work = malloc(size);
    double *wide = malloc((size_t)frames * sizeof *wide);
    for (int64_t i = 0; i < frames; i++)
        wide[i] = vdi_dtype_load(y.dtype, y.data, i);
    CHECK_OK(vdi_tensor_alloc(NULL, VDI_F64, 1, &frames, estimate, &err), err);
    vdi_pretrained_result r = VDI__ZERO;
    r.spikes = estimate->data;
    CHECK_OK(vdi_pretrained_infer(net, VDI_F64, frames, wide, fps, work, size, &r, &err), err);
    free(wide);
    free(work);
    vdi_tensor_free(NULL, &y);
    vdi_score_train *t = &n->trial[n->trials++];
    t->frames = frames;
    t->fps = fps;
    t->estimate = estimate->data;
    t->times = truth->data;
    t->spikes = vdi_tensor_count(*truth);
}

/* c50, c100 and |log count| of a neuron. */
static void score_neuron(neuron *n, double *score) {
    vdi_score_spikes_result r;
    double *work = malloc(vdi_score_spikes_work(n->trials, n->trial) * sizeof *work);
    CHECK_OK(vdi_score_spikes(n->trials, n->trial, work, &r, &err), err);
    free(work);
    score[0] = r.c50;
    score[1] = r.c100;
    score[2] = fabs(log(r.count));
    for (int i = 0; i < n->trials; i++) {
        vdi_tensor_free(NULL, &n->estimate[i]);
        vdi_tensor_free(NULL, &n->truth[i]);
    }
}

/* Means over the data sets of a folder. */
static void score_folder(const char *folder, double *mean) {
    static neuron list[MOST_NEURONS];
    char index[256], sets[MOST_SETS][32];
    double sum[MOST_SETS][MEASURES] = {{0}};
    int neurons = 0, count = 0, members[MOST_SETS] = {0};
    vdi_arena arena;
    const vdi_json *root;
    vdi_pretrained *net = shipped();
    vdi_arena_init(&arena, NULL, 0);
    snprintf(index, sizeof index, "%s/index.json", folder);
    CHECK_OK(vdi_json_load(shared_path(index), &arena, &root, &err), err);
    for (const vdi_json *r = vdi_json_first(root); r; r = vdi_json_next(root, r)) {
        neuron *n = neuron_of(list, &neurons, vdi_json_as_text(vdi_json_get(r, "dataset"), ""),
                              vdi_json_as_text(vdi_json_get(r, "neuron"), ""));
        infer_recording(net, folder, r, n);
    }
    for (int i = 0; i < neurons; i++) {
        double score[MEASURES];
        int s = 0;
        while (s < count && strcmp(sets[s], list[i].set))
            s++;
        if (s == count) strcpy(sets[count++], list[i].set);
        score_neuron(&list[i], score);
        members[s]++;
        for (int k = 0; k < MEASURES; k++)
            sum[s][k] += score[k];
    }
    for (int k = 0; k < MEASURES; k++) {
        mean[k] = 0;
        for (int s = 0; s < count; s++)
            mean[k] += sum[s][k] / members[s] / count;
    }
    vdi_arena_free(&arena);
    vdi_pretrained_destroy(net);
}

TEST(pretrained, recordings) {
    NEED_NATIVE();
    NEED_SHARED("data/calcium2/index.json");
    /* what the shipped weights reach, less a hundredth (five hundredths for the counts) */
    static const struct {
        const char *folder;
        double c50, c100, count;
    } bar[] = {{"data/calcium", 0.788, 0.842, 0.63}, {"data/calcium2", 0.715, 0.782, 0.80}};
    for (size_t i = 0; i < sizeof bar / sizeof *bar; i++) {
        double mean[MEASURES];
        score_folder(bar[i].folder, mean);
        CHECK(mean[0] >= bar[i].c50, "%s: c50 is %.4f", bar[i].folder, mean[0]);
        CHECK(mean[1] >= bar[i].c100, "%s: c100 is %.4f", bar[i].folder, mean[1]);
        CHECK(mean[2] <= bar[i].count, "%s: |log count| is %.4f", bar[i].folder, mean[2]);
    }
}

/* Slow traces are interpolated, fast ones averaged. */
TEST(pretrained, to_the_grid) {
    const float slow[3] = {1, 3, 2}, fast[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    float x[6] = {0};
    double sum[9];
    vdi_pretrained_to_grid(3, slow, 30, sum, 5, x);
    CHECK(x[0] == 1 && x[1] == 2 && x[2] == 3 && x[3] == 2.5f && x[4] == 2, "%g %g %g %g %g",
          (double)x[0], (double)x[1], (double)x[2], (double)x[3], (double)x[4]);
    /* at 120 Hz sample i covers frames 2i - 1/2 to 2i + 3/2 of their axis */
    vdi_pretrained_to_grid(8, fast, 120, sum, 4, x);
    CHECK_CLOSE(x[1], 3, 1e-6);
    CHECK_CLOSE(x[2], 5, 1e-6);
}
