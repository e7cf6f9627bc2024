/* examples/vdi/demo_spikes.c - spikes out of fluorescence: deconvolution, and the network in the
 * box, on cells that it has not seen */
#include "demo.h"
#include "spikes_pretrained.h"

enum { CELLS = 8, FRAMES = 1800, SHOWN = 450, WINDOW = 300 };
static const double fps = 30;

static double correlation(const double *a, const double *b, int n, int bin) {
    /* in bins of so many frames */
    double sa = 0;
    double sb = 0;
    double aa = 0;
    double bb = 0;
    double ab = 0;
    double m = 0;
    for (int t = 0; t + bin <= n; t += bin, m++) {
        double x = 0, y = 0;
        for (int k = 0; k < bin; k++) {
            x += a[t + k];
            y += b[t + k];
        }
        sa += x;
        sb += y;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    return (ab - sa * sb / m) / sqrt(fmax((aa - sa * sa / m) * (bb - sb * sb / m), 1e-300));
}

static void page(demo *m, const double *trace, const double *truth, const double *oasis,
                 const spikes_pretrained *net) {
    vdi_figure f;
    vdi_figure_desc desc = {0};
    desc.rows = 2;
    desc.height = 150;
    vdi_figure_init(&f, &desc);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->y.label = "fluorescence";
    p->x.bare = true;
    p->dx = 1 / fps;
    vdi_panel_line(p, "trace", vdi_tensor_1d((void *)trace, VDI_F64, SHOWN))->color =
        VDI_COLOR_GREY;
    vdi_panel_line(p, "without noise, by the network", vdi_tensor_1d(net->denoised, VDI_F64, SHOWN))
        ->color = VDI_COLOR_BLUE;
    p = vdi_figure_panel(&f, 1, 0);
    p->x.label = "time (s)";
    p->y.label = "spikes per frame";
    p->dx = 1 / fps;
    vdi_panel_line(p, "truth", vdi_tensor_1d((void *)truth, VDI_F64, SHOWN))->color =
        VDI_COLOR_GREY;
    vdi_panel_line(p, "network", vdi_tensor_1d(net->spikes, VDI_F64, SHOWN))->color =
        VDI_COLOR_BLUE;
    vdi_panel_line(p, "OASIS, scaled", vdi_tensor_1d((void *)oasis, VDI_F64, SHOWN))->color =
        VDI_COLOR_VERMILION;
    vdi_page_heading(&m->report.page, 2, "DeepSpike");
    vdi_page_text(&m->report.page,
                  "Cells with a slow, saturating indicator (MLphys), simulated here; a "
                  "spike is six times as high as the noise. The network "
                  "in the box knows neither the indicator nor the noise: it was trained "
                  "once, on simulations of many, and reads both off the "
                  "trace. Whether a usual rise is one spike or a burst no single trace "
                  "tells, so it knows counts up to a factor of about two. "
                  "OASIS deconvolves with constants that it estimates. vdi spikes infer "
                  "does this for a file of traces.");
    vdi_page_figure(&m->report.page, &f, NULL);
    vdi_figure_free(&f);
}

/* Held against what the trace shows by itself: above that by two standard errors over the cells,
 * and good from half of what it leaves on. */
static void row_of_correlations(demo *m, const char *what, const double *r, const double *trace,
                                int cells, double since) {
    double mean = 0, shown = 0;
    for (int c = 0; c < cells; c++) {
        mean += r[c] / cells;
        shown += trace[c] / cells;
    }
    demo_row(m, "spikes", what, mean, (1 + shown) / 2,
             shown + 2 * demo_paired_error(r, trace, cells), since,
             "correlation: 1 is the truth, %.2f the trace itself", shown);
}

/* How many spikes: over time, and in all. No trace tells a cell of large single spikes from one of
 * small pairs. */
static void rows_of_counts(demo *m, const double *truth, const double *found, int cells,
                           double since) {
    const int windows = cells * FRAMES / WINDOW;
    double expected = 0, true_count = 0;
    for (int t = 0; t < cells * FRAMES; t++) {
        expected += found[t];
        true_count += truth[t];
    }
    const double ratio = fmax(expected / true_count, true_count / expected);
    /* five standard errors of Fisher's z above chance */
    demo_row(m, "spikes", "true and found in 10 s, network",
             correlation(truth, found, cells * FRAMES, WINDOW), 0.9, tanh(5 / sqrt(windows - 3.0)),
             since, "correlation of %d counts: 1 is the truth, 0 chance", windows);
    demo_row(m, "spikes", "spikes found / true, or true / found", ratio, 1.3, 2, since,
             "1: %.0f of %.0f; 2 if single spikes pass for pairs", expected, true_count);
}

bool demo_spikes(demo *m) {
    double since = seconds_now();
    double r[3][CELLS]; /* OASIS, the network, the trace itself */
    const int cells = m->quick ? CELLS / 2 : CELLS;
    vdi_error err = {0};
    vdi_calcium_desc model = {0};
    vdi_oasis_desc oasis = {0};
    double raw[32];
    double *truth = doubles(CELLS * FRAMES);
    double *trace = doubles(CELLS * FRAMES);
    double *spikes = doubles(CELLS * FRAMES);
    double *calcium = doubles(FRAMES);
    spikes_pretrained net = {0};
    net.spikes = doubles(CELLS * FRAMES);
    net.denoised = doubles(CELLS * FRAMES);
    model.model = VDI_CALCIUM_MLPHYS;
    model.bin = 1 / fps;
    oasis.fps = fps;
    bool ok = true;
    int parameters = 0;
    (void)vdi_calcium_params(model.model, &parameters);
    for (int c = 0; ok && c < cells; c++) {
        vdi_rng rng = vdi_rng_make(m->r->seed, 70 + (uint64_t)c);
        double *s = truth + c * FRAMES, rate = 0.5;
        for (int t = 0; t < FRAMES; t++) {
            /* a rate that wanders between silence and some spikes a second */
            rate *= exp(0.2 * vdi_rng_normal(&rng));
            rate = fmin(fmax(rate, 0.05), 5);
            s[t] = (double)vdi_rng_poisson(&rng, rate / fps);
        }
        vdi_calcium_initial(&model, raw);
        /* noise: with the published 0.03 a spike is 26 times as high */
        raw[parameters - 1] = vdi_calcium_raw(VDI_CALCIUM_SOFTPLUS, 0.13);
        ok = vdi_calcium_sample(&model, raw, VDI_F64, FRAMES, s, 0, &rng, NULL, trace + c * FRAMES,
                                &err) == VDI_OK &&
             vdi_oasis(&oasis, VDI_F64, FRAMES, trace + c * FRAMES, NULL, calcium,
                       spikes + c * FRAMES, NULL, &err) >= 0;
        r[0][c] = correlation(s, spikes + c * FRAMES, FRAMES, 3);
        r[2][c] = correlation(s, trace + c * FRAMES, FRAMES, 3);
    }
    const double parted = seconds_now();
    if (!ok) (void)fail_error(&err, NULL);
    ok = ok && !interrupted() &&
         spikes_pretrained_infer(m->r, cells, FRAMES, trace, fps, &net) == DONE;
    for (int c = 0; ok && c < cells; c++)
        r[1][c] = correlation(truth + c * FRAMES, net.spikes + c * FRAMES, FRAMES, 3);
    if (ok) {
        row_of_correlations(m, "true and found in 0.1 s, OASIS", r[0], r[2], cells, since);
        row_of_correlations(m, "true and found in 0.1 s, network", r[1], r[2], cells, parted);
        rows_of_counts(m, truth, net.spikes, cells, parted);
        if (m->open) {
            double most = 1e-9;
            for (int t = 0; t < SHOWN; t++)
                most = fmax(most, spikes[t]);
            for (int t = 0; t < SHOWN; t++)
                spikes[t] /= most;
            page(m, trace, truth, spikes, &net);
        }
    }
    free(truth);
    free(trace);
    free(spikes);
    free(calcium);
    free(net.spikes);
    free(net.denoised);
    return ok;
}
