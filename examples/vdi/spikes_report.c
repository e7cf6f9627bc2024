/* examples/vdi/spikes_report.c - report.html of vdi spikes infer: trace, denoised trace, what was
 * inferred, rasters */
#include "spikes.h"

static vdi_tensor part(const double *p, int64_t from, int64_t count) {
    double *own;
    memcpy(&own, &p, sizeof own); /* a tensor has no const */
    return vdi_tensor_1d(own + from, VDI_F64, count);
}

/* The busiest stretch of `width` frames: where most was inferred. */
static int64_t busiest(const double *s, int64_t n, int64_t width) {
    double sum = 0, best = -1;
    int64_t at = 0;
    for (int64_t t = 0; t < n; t++) {
        sum += s[t] == s[t] ? s[t] : 0;
        if (t >= width) sum -= s[t - width] == s[t - width] ? s[t - width] : 0;
        if (t + 1 >= width && sum > best) {
            best = sum;
            at = t + 1 - width;
        }
    }
    return at;
}

static void neuron_figure(vdi_page *page, const inference *q, const double *truth, int64_t neuron,
                          int64_t from, int64_t count, const char *caption) {
    const int64_t n = q->in->frames, all = q->in->neurons * n, base = neuron * n + from;
    const int64_t rows = (truth ? 1 : 0) + (q->S < 20 ? q->S : 20);
    vdi_figure_desc desc = {0};
    vdi_figure f;
    double *raster = rows ? doubles(rows * count) : NULL;
    desc.rows = rows ? 3 : 2;
    desc.height = 110;
    vdi_figure_init(&f, &desc);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->y.label = "fluorescence";
    p->x.bare = true;
    p->x0 = (double)from / q->in->fps;
    p->dx = 1 / q->in->fps;
    vdi_series *raw = vdi_panel_line(p, "trace", part((const double *)q->in->y.data, base, count));
    raw->color = VDI_COLOR_GREY;
    raw->width = 1;
    vdi_series *fit = vdi_panel_line(p, "denoised", part(q->denoised, base, count));
    fit->color = VDI_COLOR_BLUE;
    fit->width = 1.6;
    p = vdi_figure_panel(&f, 1, 0);
    p->x0 = (double)from / q->in->fps;
    p->dx = 1 / q->in->fps;
    p->y.label = "inferred";
    if (rows)
        p->x.bare = true;
    else
        p->x.label = "time (s)";
    vdi_panel_line(p, q->unit, part(q->spikes, base, count))->color = VDI_COLOR_VERMILION;
    if (!q->no_probability) {
        vdi_series *chance = vdi_panel_line(p, "probability", part(q->probability, base, count));
        chance->color = VDI_COLOR_PURPLE;
        chance->width = 1;
        chance->opacity = 0.6;
    }
    if (rows) {
        int64_t row = 0;
        if (truth) memcpy(raster + count * row++, truth + base, (size_t)count * sizeof *raster);
        for (int64_t s = 0; row < rows; s++) {
            memcpy(raster + count * row++, q->samples + s * all + base,
                   (size_t)count * sizeof *raster);
        }
        p = vdi_figure_panel(&f, 2, 0);
        p->x0 = (double)from / q->in->fps;
        p->dx = 1 / q->in->fps;
        p->x.label = "time (s)";
        p->title = truth && rows > 1 ? "true spikes (top), sampled trains"
                   : truth           ? "true spikes"
                                     : "sampled trains";
        p->y.bare = true;
        p->height = 12.0 + 6.0 * (double)rows;
        vdi_panel_raster(p, vdi_tensor_2d(raster, VDI_F64, rows, count))->color = VDI_COLOR_INK;
    }
    vdi_page_figure(page, &f, caption);
    vdi_figure_free(&f);
    free(raster);
}

static void neuron_section(vdi_page *page, const inference *q, const double *truth, int64_t i) {
    const int64_t n = q->in->frames;
    const int64_t width = (int64_t)fmin(20 * q->in->fps, (double)n) + 1;
    const double *s = q->spikes + i * n;
    char text[400];
    double sum = 0;
    for (int64_t t = 0; t < n; t++)
        sum += s[t] == s[t] ? s[t] : 0;
    snprintf(text, sizeof text, "Neuron %lld", (long long)i);
    vdi_page_heading(page, 2, text);
    snprintf(text, sizeof text, "The whole trace. Sum of what was inferred: %.4g (%s).", sum,
             q->unit);
    neuron_figure(page, q, truth, i, 0, n, text);
    if (width < n) {
        neuron_figure(page, q, truth, i, busiest(s, n, width), width, "Its busiest 20 seconds.");
    }
}

static void numbers_section(vdi_page *page, const inference *q) {
    enum { MOST = 1000 };
    static char names[MOST][24];
    const char *head[13], *rows[MOST];
    const int64_t listed = q->in->neurons < MOST ? q->in->neurons : MOST;
    for (int64_t i = 0; i < listed; i++) {
        snprintf(names[i], sizeof names[i], "%lld", (long long)i);
        rows[i] = names[i];
    }
    for (int k = 0; k < q->column_count; k++)
        head[k] = q->columns[k];
    vdi_page_heading(page, 2, "Each trace");
    vdi_page_numbers(page, head, rows, vdi_tensor_2d(q->values, VDI_F64, listed, q->column_count),
                     4);
}

bool spikes_report(const run *r, const inference *q, const double *truth, int64_t shown,
                   const char *method) {
    const int64_t neurons = q->in->neurons;
    const int64_t n = q->in->frames;
    char text[1000];
    report p;
    if (!report_open(&p, r->out, "report.html", "Spikes from fluorescence")) return false;
    snprintf(text, sizeof text,
             "%s: %lld traces of %lld frames at %g Hz (%.1f s), method %s, vdi %s.", q->in->file,
             (long long)neurons, (long long)n, q->in->fps, (double)n / q->in->fps, method,
             VDI_VERSION);
    vdi_page_text(&p.page, text);
    if (q->empty) {
        snprintf(text, sizeof text,
                 "%lld traces hold too few numbers or are constant: nothing is said of them.",
                 (long long)q->empty);
        vdi_page_text(&p.page, text);
    }
    for (int64_t i = 0; i < shown && i < neurons; i++)
        neuron_section(&p.page, q, truth, i);
    if (q->column_count) numbers_section(&p.page, q);
    return report_close(&p);
}
