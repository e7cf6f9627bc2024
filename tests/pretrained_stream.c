/* tests/pretrained_stream.c - the pretrained network frame by frame says what it says of the whole
 * trace */
#include "check.h"
#include "../include/vdi/model/pretrained/weights.h"

enum { MOST = 20000 };
static vdi_error err;
static double y[MOST], truth[MOST], batch[MOST], stream[MOST], times[MOST];

static void cell(int64_t n, double fps, uint64_t seed) {
    vdi_rng rng = vdi_rng_make(seed, 0);
    double calcium = 0;
    for (int64_t t = 0; t < n; t++) {
        truth[t] = (double)vdi_rng_poisson(&rng, 0.7 / fps);
        calcium = calcium * exp(-1 / (0.6 * fps)) + truth[t];
        y[t] = 100 + 20 * (calcium + 0.15 * sqrt(fps / 30) * vdi_rng_normal(&rng));
    }
}

static double c100(int64_t n, double fps, const double *estimate, const double *counts) {
    vdi_score_train trial;
    vdi_score_spikes_result r;
    trial.frames = n;
    trial.fps = fps;
    trial.estimate = estimate;
    trial.times = times;
    trial.spikes = vdi_score_spikes_times(n, fps, counts, times);
    double *work = (double *)malloc(vdi_score_spikes_work(1, &trial) * sizeof *work);
    CHECK_OK(vdi_score_spikes(1, &trial, work, &r, &err), err);
    free(work);
    return r.c100;
}

static vdi_pretrained *shipped(void) {
    vdi_pretrained *net = NULL;
    CHECK_OK(vdi_pretrained_create(&vdi_pretrained_shipped, NULL, &net, &err), err);
    return net;
}

static void whole(const vdi_pretrained *net, int64_t n, double fps) {
    const size_t size = vdi_pretrained_memsize(net, n, fps);
    void *work = malloc(size);
    vdi_pretrained_result r = VDI__ZERO;
    r.spikes = batch;
    CHECK_OK(vdi_pretrained_infer(net, VDI_F64, n, y, fps, work, size, &r, &err), err);
    free(work);
}

TEST(pretrained_stream, as_good_as_the_whole_trace) {
    static const double rates[] = {7.5, 30, 60, 130};
    vdi_pretrained *net = shipped();
    for (int i = 0; i < 4; i++) {
        const double fps = rates[i];
        const int64_t n = (int64_t)(150 * fps), first = (int64_t)(60 * fps);
        vdi_pretrained_stream *s = NULL;
        cell(n, fps, 5 + (uint64_t)i);
        whole(net, n, fps);
        CHECK_OK(vdi_pretrained_stream_create(net, fps, VDI_F64, first, y, NULL, &s, &err), err);
        const int64_t delay = vdi_pretrained_stream_delay(s);
        CHECK((double)delay / fps < 3 + 4 / fps, "%g Hz: %d frames", fps, (int)delay);
        memset(stream, 0, sizeof stream);
        for (int64_t t = first; t < n; t++) {
            double spikes;
            const bool told = vdi_pretrained_stream_push(s, y[t], &spikes);
            CHECK(told == (t - first >= delay), "%g Hz, frame %d", fps, (int)(t - first));
            if (told) stream[t - delay] = spikes;
        }
        const int64_t from = first + (int64_t)fps, count = n - delay - from;
        const double a = c100(count, fps, batch + from, truth + from);
        const double b = c100(count, fps, stream + from, truth + from);
        CHECK(a > 0.85 && b > a - 0.02, "%g Hz: c100 %g as a whole, %g as a stream", fps, a, b);
        double in_batch = 0, in_stream = 0;
        for (int64_t t = from; t < n - delay; t++) {
            in_batch += batch[t];
            in_stream += stream[t];
        }
        CHECK(fabs(log(in_stream / in_batch)) < 0.3, "%g Hz: %g spikes as a whole, %g", fps,
              in_batch, in_stream);
        vdi_pretrained_stream_destroy(s);
    }
    vdi_pretrained_destroy(net);
}

/* With the statistics of the very same frames, and past the edges, only the baseline differs: a
 * trace whose baseline is constant gives the same numbers. */
TEST(pretrained_stream, the_same_network) {
    enum { N = 3000 };
    vdi_pretrained *net = shipped();
    vdi_pretrained_stream *s = NULL;
    double worst = 0;
    for (int64_t t = 0; t < N; t++)
        y[t] = t % 150 < 30 ? exp(-(double)(t % 150) / 8) : 0;
    whole(net, N, 30);
    CHECK_OK(vdi_pretrained_stream_create(net, 30, VDI_F64, N, y, NULL, &s, &err), err);
    const int64_t delay = vdi_pretrained_stream_delay(s);
    for (int64_t t = 0; t < N; t++) {
        double spikes;
        if (!vdi_pretrained_stream_push(s, y[t], &spikes) || t - delay < 150) continue;
        worst = test_worst(worst, fabs(spikes - batch[t - delay]));
    }
    CHECK(worst < 1e-4, "off by %g", worst);
    vdi_pretrained_stream_destroy(s);
    vdi_pretrained_destroy(net);
}

/* Frames without a number, a constant first stretch, and what is refused. */
TEST(pretrained_stream, odd_input) {
    vdi_pretrained *net = shipped();
    vdi_pretrained_stream *s = NULL;
    double spikes;
    cell(2000, 30, 3);
    CHECK_OK(vdi_pretrained_stream_create(net, 30, VDI_F64, 1000, y, NULL, &s, &err), err);
    for (int t = 1000; t < 2000; t++) {
        (void)vdi_pretrained_stream_push(s, t % 7 ? y[t] : t % 2 ? NAN : INFINITY, &spikes);
        CHECK(spikes >= 0 && spikes < 100, "frame %d: %g", t, spikes);
    }
    vdi_pretrained_stream_destroy(s);
    for (int t = 0; t < 100; t++)
        y[t] = 4;
    CHECK_OK(vdi_pretrained_stream_create(net, 30, VDI_F64, 100, y, NULL, &s, &err), err);
    for (int t = 0; t < 200; t++) {
        (void)vdi_pretrained_stream_push(s, t, &spikes);
        CHECK(spikes == 0, "nothing is known of its scale");
    }
    vdi_pretrained_stream_destroy(s);
    CHECK_FAILS(vdi_pretrained_stream_create(net, 0, VDI_F64, 100, y, NULL, &s, &err),
                VDI_ERR_ARGUMENT);
    for (int t = 0; t < 100; t++)
        y[t] = NAN;
    CHECK_FAILS(vdi_pretrained_stream_create(net, 30, VDI_F64, 100, y, NULL, &s, &err),
                VDI_ERR_DATA);
    CHECK(s == NULL);
    vdi_pretrained_stream_destroy(NULL);
    vdi_pretrained_destroy(net);
}
