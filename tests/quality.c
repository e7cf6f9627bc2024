/* tests/quality.c - what is unusual about a trace: each kind of trouble is told, and an ordinary
 * trace has none */
#include "check.h"

enum { FRAMES = 9000 };
static vdi_error err;
static double y[FRAMES];

/* The ordinary cell: 30 Hz, 0.4 spikes a second, three times the noise, decay 0.6 s. */
static void ordinary(void) {
    vdi_rng rng = vdi_rng_make(11, 0);
    double calcium = 0;
    for (int t = 0; t < FRAMES; t++) {
        calcium = calcium * exp(-1 / 18.0) + (vdi_rng_bernoulli(&rng, 0.013) ? 0.3 : 0);
        y[t] = calcium + 0.1 * vdi_rng_normal(&rng);
    }
}
static void silent(void) {
    vdi_rng rng = vdi_rng_make(12, 0);
    for (int t = 0; t < FRAMES; t++)
        y[t] = 0.1 * vdi_rng_normal(&rng);
}

static void every_other_missing(void) {
    for (int t = 0; t < FRAMES; t += 2)
        y[t] = NAN;
}
static void cut_off(void) {
    for (int t = 0; t < FRAMES; t++)
        y[t] = fmin(y[t], 0.3);
}
static void dark_frames(void) {
    for (int t = 0; t < FRAMES; t += 150)
        y[t] = -1;
}
static void rhythm(void) {
    silent();
    for (int t = 0; t < FRAMES; t++)
        y[t] += 0.1 * sqrt(2.0) * sin(2 * VDI_PI * 0.3 * t / 30);
}
static void averaged(void) {
    for (int t = 1; t + 1 < FRAMES; t++)
        y[t - 1] = (y[t - 1] + y[t] + y[t + 1]) / 3;
}
static void bleaching(void) {
    for (int t = 0; t < FRAMES; t++)
        y[t] += 3 * exp(-t / 1800.0);
}
/* 20 s a period, ten times the noise: the running baseline does not follow */
static void slow_waves(void) {
    for (int t = 0; t < FRAMES; t++)
        y[t] += sin(2 * VDI_PI * t / 600);
}
/* the same without a period, three times the noise */
static void slow_noise(void) {
    vdi_rng rng = vdi_rng_make(13, 0);
    const double keep = exp(-1 / 600.0);
    double z = 0;
    for (int t = 0; t < FRAMES; t++) {
        z = keep * z + sqrt(1 - keep * keep) * vdi_rng_normal(&rng);
        y[t] += 0.3 * z;
    }
}
static void upside_down(void) {
    for (int t = 0; t < FRAMES; t++)
        y[t] = -y[t];
}
static void over_nothing(void) {
    for (int t = 4000; t < 4120; t++)
        y[t] = (1 + y[t]) / 0.02 - 1;
}
static void far_from_zero(void) {
    for (int t = 0; t < FRAMES; t++)
        y[t] += 1e6;
}
static void one_infinity(void) { y[77] = INFINITY; }
static void one_outlier(void) { y[4500] += 5; }
static void nothing_else(void) {}

static const struct {
    void (*change)(void);
    const char *kind; /* that has to be flagged; NULL: none */
} rows[] = {
    {nothing_else, NULL},      {far_from_zero, NULL},
    {one_infinity, NULL},      {one_outlier, NULL},
    {silent, "snr"},           {every_other_missing, "missing"},
    {cut_off, "saturated"},    {dark_frames, "dark"},
    {dark_frames, "outliers"}, {rhythm, "line"},
    {averaged, "smoothness"},  {bleaching, "drift"},
    {upside_down, "skew"},     {over_nothing, "unsteady"},
    {slow_waves, "wander"},    {slow_noise, "wander"},
};

static vdi_status measure(double fps, vdi_trace_quality *q) {
    const size_t size = vdi_pretrained_prepare_memsize(FRAMES, fps);
    void *work = malloc(size);
    const vdi_status status = vdi_pretrained_quality(VDI_F64, FRAMES, y, fps, work, size, q, &err);
    free(work);
    return status;
}

TEST(quality, kinds) {
    vdi_trace_quality q;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool found = false;
        ordinary();
        rows[i].change();
        CHECK_OK(measure(30, &q), err);
        for (int k = 0; k < vdi_trace_quality_count(); k++) {
            const char *name = vdi_trace_quality_kind(k)->name;
            const bool flag = vdi_trace_quality_flag(&q, k);
            if (rows[i].kind && strcmp(name, rows[i].kind) == 0) found = flag;
            if (!rows[i].kind)
                CHECK(!flag, "row %d: %s %g", (int)i, name, vdi_trace_quality_value(&q, k));
        }
        CHECK(found || !rows[i].kind, "row %d is not flagged as %s", (int)i, rows[i].kind);
    }
}

TEST(quality, values) {
    vdi_trace_quality q;
    ordinary();
    CHECK_OK(measure(30, &q), err);
    /* 100 * 0.1 sqrt 2 / 1.4826 / sqrt 30 */
    CHECK_CLOSE(q.noise_level, 1.7415, 0.05);
    CHECK_CLOSE(q.decay, 0.5, 0.2);
    CHECK_CLOSE(q.smoothness, 1, 0.05);
    CHECK(q.missing == 0 && q.line == 0 && q.wander == 0);
    CHECK_CLOSE(q.interval, 1 / 30.0, 1e-6);
    /* time alone is scaled */
    CHECK_OK(measure(7.5, &q), err);
    CHECK_CLOSE(q.decay, 2, 0.8);
    CHECK_CLOSE(q.noise_level, 2 * 1.7415, 0.1);
    CHECK(isnan(q.smoothness), "too slow to tell");
    CHECK_OK(measure(2, &q), err); /* only the rate is unusual here */
    CHECK_CLOSE(q.interval, 0.5, 1e-6);
    for (int k = 0; k < vdi_trace_quality_count(); k++) {
        const bool few = strcmp(vdi_trace_quality_kind(k)->name, "interval") == 0;
        CHECK(vdi_trace_quality_flag(&q, k) == few, "%s", vdi_trace_quality_kind(k)->name);
    }
    every_other_missing();
    CHECK_OK(measure(30, &q), err);
    CHECK_CLOSE(q.missing, 0.5, 1e-12);
    CHECK_CLOSE(q.noise_level, sqrt(2.0) * 1.7415, 0.1);
    rhythm();
    CHECK_OK(measure(30, &q), err);
    CHECK_CLOSE(q.line, 0.5, 0.15);
    CHECK_CLOSE(q.line_hz, 0.3, 0.03);
    for (int t = 0; t < FRAMES; t++)
        y[t] = 3;
    CHECK_OK(measure(30, &q), err);
    CHECK(q.snr == 0 && q.saturated == 0 && q.dark == 0, "constant");
    for (int t = 0; t < FRAMES; t++)
        y[t] = NAN;
    CHECK_FAILS(measure(30, &q), VDI_ERR_DATA);
    CHECK(vdi_trace_quality_kind(-1) == NULL &&
          vdi_trace_quality_kind(vdi_trace_quality_count()) == NULL);
    CHECK(isnan(vdi_trace_quality_value(&q, -1)) && !vdi_trace_quality_flag(&q, -1));
}

/* Of the simulated cells without an artefact few have a flag besides that of a faint signal. */
TEST(quality, simulated_cells) {
    const size_t cells = 60;
    vdi_population_desc p = vdi_population_desc_defaults();
    size_t flagged[32] = {0};
    p.wave_share = p.outlier_share = p.dip_share = p.surge_share = p.clip_share = p.smooth_share =
        0;
    void *work = malloc(vdi_cell_memsize(&p));
    float *trace = (float *)malloc(40000 * sizeof *trace);
    double *spike = (double *)malloc(65536 * sizeof *spike);
    for (size_t i = 0; i < cells; i++) {
        vdi_cell cell;
        vdi_trace_quality q;
        const int64_t frames = vdi_population_draw(&p, 9, i, &cell);
        (void)vdi_cell_simulate(&p, &cell, work, trace, NULL, spike, 65536);
        const size_t size = vdi_pretrained_prepare_memsize(frames, cell.frame_rate);
        void *own = malloc(size);
        CHECK_OK(
            vdi_pretrained_quality(VDI_F32, frames, trace, cell.frame_rate, own, size, &q, &err),
            err);
        for (int k = 0; k < vdi_trace_quality_count(); k++)
            flagged[k] += vdi_trace_quality_flag(&q, k);
        free(own);
    }
    for (int k = 0; k < vdi_trace_quality_count(); k++) {
        const char *name = vdi_trace_quality_kind(k)->name;
        const size_t most = strcmp(name, "snr") == 0 ? cells / 2 : 1 + cells / 10;
        CHECK(flagged[k] <= most, "%s: %d of %d cells", name, (int)flagged[k], (int)cells);
    }
    free(work);
    free(trace);
    free(spike);
}
