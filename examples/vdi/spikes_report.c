/* examples/vdi/spikes_report.c - report.html of vdi spikes infer: the population, and neurons with
 * their traces */
#include "spikes.h"

/* One neuron as it is drawn: its rows one behind the other. */
typedef struct drawn {
    int64_t neuron, frames;
    double *trace, *spikes, *probability, *denoised, *low, *high, *truth;
} drawn;

static vdi_tensor part(const double *p, int64_t from, int64_t count) {
    double *own;
    memcpy(&own, &p, sizeof own); /* a tensor has no const */
    return vdi_tensor_1d(own + from, VDI_F64, count);
}

static void drawn_free(drawn *d) {
    free(d->trace);
    free(d->spikes);
    free(d->probability);
    free(d->denoised);
    free(d->low);
    free(d->high);
    free(d->truth);
}

static bool drawn_read(inference *q, rows_in *truth, int64_t neuron, drawn *d) {
    const neuron_list *l = &q->neurons;
    const int64_t n = q->in->frames, rows = l->begin[neuron + 1] - l->begin[neuron];
    bool ok = true;
    d->neuron = neuron;
    d->frames = rows * n;
    d->trace = doubles(rows * n);
    d->spikes = doubles(rows * n);
    d->probability = doubles(rows * n);
    d->denoised = doubles(rows * n);
    if (q->has_deviation) {
        d->low = doubles(rows * n);
        d->high = doubles(rows * n);
    }
    if (truth) d->truth = doubles(rows * n);
    for (int64_t i = 0; ok && i < rows; i++) {
        const int64_t row = l->member[l->begin[neuron] + i], at = l->place[row];
        ok = source_read(q->in, row, d->trace + i * n) &&
             rows_back(&q->spikes_file, at, d->spikes + i * n) &&
             rows_back(&q->probability_file, at, d->probability + i * n) &&
             rows_back(&q->denoised_file, at, d->denoised + i * n) &&
             (!d->high || rows_back(&q->deviation_file, at, d->high + i * n)) &&
             (!truth || rows_read(truth, row, d->truth + i * n));
    }
    for (int64_t t = 0; t < rows * n && d->high; t++) {
        const double deviation = d->high[t];
        d->low[t] = fmax(0, d->spikes[t] - deviation);
        d->high[t] = d->spikes[t] + deviation;
    }
    return ok;
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

static void trace_panel(vdi_figure *f, const inference *q, const drawn *d, int64_t from,
                        int64_t count) {
    vdi_panel *p = vdi_figure_panel(f, 0, 0);
    p->y.label = "fluorescence";
    p->x.bare = true;
    p->x0 = (double)from / q->fps;
    p->dx = 1 / q->fps;
    vdi_series *raw = vdi_panel_line(p, "trace", part(d->trace, from, count));
    raw->color = VDI_COLOR_GREY;
    raw->width = 1;
    vdi_series *fit = vdi_panel_line(p, "denoised", part(d->denoised, from, count));
    fit->color = VDI_COLOR_BLUE;
    fit->width = 1.6;
}

static void spikes_panel(vdi_figure *f, const inference *q, const drawn *d, int64_t from,
                         int64_t count) {
    vdi_panel *p = vdi_figure_panel(f, 1, 0);
    p->x0 = (double)from / q->fps;
    p->dx = 1 / q->fps;
    p->y.label = "inferred";
    if (d->truth)
        p->x.bare = true;
    else
        p->x.label = "time (s)";
    if (d->high) {
        vdi_panel_band(p, "standard deviation", part(d->low, from, count),
                       part(d->high, from, count))
            ->color = VDI_COLOR_VERMILION;
    }
    vdi_panel_line(p, q->unit, part(d->spikes, from, count))->color = VDI_COLOR_VERMILION;
    if (q->no_probability) return;
    vdi_series *chance = vdi_panel_line(p, "probability", part(d->probability, from, count));
    chance->color = VDI_COLOR_PURPLE;
    chance->width = 1;
    chance->opacity = 0.6;
}

static void neuron_figure(vdi_page *page, const inference *q, const drawn *d, int64_t from,
                          int64_t count, const char *caption) {
    vdi_figure_desc desc = {0};
    vdi_figure f;
    desc.rows = d->truth ? 3 : 2;
    desc.height = 110;
    vdi_figure_init(&f, &desc);
    trace_panel(&f, q, d, from, count);
    spikes_panel(&f, q, d, from, count);
    if (d->truth) {
        vdi_panel *p = vdi_figure_panel(&f, 2, 0);
        p->x0 = (double)from / q->fps;
        p->dx = 1 / q->fps;
        p->x.label = "time (s)";
        p->title = "true spikes";
        p->y.bare = true;
        p->height = 18;
        double *own = d->truth + from;
        vdi_panel_raster(p, vdi_tensor_2d(own, VDI_F64, 1, count))->color = VDI_COLOR_INK;
    }
    vdi_page_figure(page, &f, caption);
    vdi_figure_free(&f);
}

static void neuron_section(vdi_page *page, const inference *q, const drawn *d) {
    const int64_t n = d->frames;
    const int64_t width = (int64_t)fmin(20 * q->fps, (double)n) + 1;
    char text[400];
    snprintf(text, sizeof text, "Neuron %g", q->neurons.name[d->neuron]);
    vdi_page_heading(page, 2, text);
    snprintf(text, sizeof text, "The whole trace. Sum of what was inferred: %.4g (%s).",
             q->total[d->neuron], q->unit);
    neuron_figure(page, q, d, 0, n, text);
    if (width < n) {
        neuron_figure(page, q, d, busiest(d->spikes, n, width), width, "Its busiest 20 seconds.");
    }
}

static void numbers_section(vdi_page *page, const inference *q) {
    enum { MOST = 1000 };
    static char names[MOST][24];
    const char *head[INFER_COLUMNS + 1], *rows[MOST];
    const int64_t listed = q->neurons.count < MOST ? q->neurons.count : MOST;
    for (int64_t i = 0; i < listed; i++) {
        snprintf(names[i], sizeof names[i], "%g", q->neurons.name[i]);
        rows[i] = names[i];
    }
    for (int k = 0; k < q->column_count; k++)
        head[k] = q->columns[k];
    vdi_page_heading(page, 2, "Each trace");
    vdi_page_numbers(page, head, rows, vdi_tensor_2d(q->values, VDI_F64, listed, q->column_count),
                     4);
}

bool spikes_report(const run *r, inference *q, rows_in *truth, int64_t shown, const char *method) {
    const int64_t neurons = q->neurons.count;
    const int64_t n = q->in->frames;
    char text[1000];
    report p;
    if (!report_open(&p, r->out, "report.html", "Spikes from fluorescence")) return false;
    snprintf(text, sizeof text,
             "%s: %lld neurons, %lld frames at %g Hz (%.1f s), method %s, vdi %s.", q->in->file,
             (long long)neurons, (long long)n, q->fps, (double)n / q->fps, method, VDI_VERSION);
    vdi_page_text(&p.page, text);
    if (q->empty) {
        snprintf(text, sizeof text, "%lld neurons hold too few numbers: nothing is said of them.",
                 (long long)q->empty);
        vdi_page_text(&p.page, text);
    }
    bool ok = true;
    for (int64_t i = 0; ok && i < shown && i < neurons; i++) {
        drawn d = {0};
        ok = drawn_read(q, truth, i, &d);
        if (ok) neuron_section(&p.page, q, &d);
        drawn_free(&d);
    }
    if (q->column_count) numbers_section(&p.page, q);
    return report_close(&p) && ok;
}
