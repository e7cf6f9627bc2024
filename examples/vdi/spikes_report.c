/* examples/vdi/spikes_report.c - report.html of vdi spikes infer: the population, and neurons with
 * their traces */
#include "page.h"
#include "spikes_quality.h"

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

/* ---- all neurons ----------------------------------------------------------------------------- */

/* A neuron and what it is sorted by. */
typedef struct ranked {
    int64_t neuron;
    double key;
} ranked;

static int by_key(const void *a, const void *b) {
    const ranked *x = (const ranked *)a, *y = (const ranked *)b;
    if (x->key < y->key || x->key > y->key) return x->key > y->key ? -1 : 1;
    return (x->neuron > y->neuron) - (x->neuron < y->neuron);
}

/* Neurons of which something can be said, the largest keys first. Returns how many. */
static int64_t rank(const inference *q, double (*key)(const inference *q, int64_t i), ranked *out) {
    int64_t n = 0;
    for (int64_t i = 0; i < q->neurons.count; i++) {
        if (q->nothing[i] != 0) continue;
        out[n].neuron = i;
        out[n++].key = key(q, i);
    }
    qsort(out, (size_t)n, sizeof *out, by_key);
    return n;
}

static double by_total(const inference *q, int64_t i) { return q->total[i]; }

/* Few flags, then a high signal over its noise. */
static double by_quality(const inference *q, int64_t i) {
    const int columns = quality_columns();
    const double *v = q->quality + i * columns;
    const double snr = v[1] == v[1] ? v[1] : 0;
    return snr / (1 + snr) - v[columns - 1];
}

enum { RASTER_ROWS = 1000 };

/* The rates of all neurons, busiest on top; of more than fit, each row is the mean of some. */
static void population_section(vdi_page *page, const inference *q, const ranked *order, int64_t n) {
    const int64_t each = (n + RASTER_ROWS - 1) / RASTER_ROWS, rows = n ? (n + each - 1) / each : 0;
    const double full = log1p(PICTURE_RATE);
    const double seconds = (double)q->in->frames / q->fps;
    char text[400];
    vdi_figure_desc desc = {0};
    vdi_figure f;
    if (rows == 0) return;
    double *rate = doubles(rows * PICTURE);
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *from = q->picture + order[i].neuron * PICTURE;
        const double count = fmin((double)each, (double)(n - i / each * each));
        for (int b = 0; b < PICTURE; b++) {
            const double v = from[b] / 255.0;
            rate[i / each * PICTURE + b] += (q->no_probability ? v : expm1(v * full)) / count;
        }
    }
    desc.height = 60 + 3.0 * (double)(rows < 140 ? rows : 140);
    vdi_figure_init(&f, &desc);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->x.label = q->neurons.most > 1 ? "share of the trials" : "time (s)";
    p->dx = (q->neurons.most > 1 ? 1 : seconds) / PICTURE;
    p->y.label = each > 1 ? "neurons, busiest first" : "neuron, busiest first";
    p->dy = (double)each;
    p->value.label = q->no_probability ? "share of its largest, square root" : "spikes a second";
    vdi_panel_heatmap(p, vdi_tensor_2d(rate, VDI_F64, rows, PICTURE));
    snprintf(text, sizeof text, "All %lld neurons, the busiest on top. A column is %.3g s%s.",
             (long long)n, seconds * (double)q->neurons.most / PICTURE,
             each > 1 ? "; a row is the mean of several neurons" : "");
    vdi_page_heading(page, 2, "The population");
    vdi_page_figure(page, &f, text);
    vdi_figure_free(&f);
    free(rate);
}

/* Which flags a neuron has, as words. */
static void flags_text(const inference *q, int64_t i, char *text, size_t size) {
    size_t n = 0;
    text[0] = 0;
    for (int c = 0; c < quality_columns() && n + 1 < size; c++) {
        if (!quality_flagged(q, i, c)) continue;
        const int more = snprintf(text + n, size - n, n ? ", %s" : "%s", quality_name(c));
        n += more > 0 ? (size_t)more : 0;
    }
}

enum { TABLE_COLUMNS = 7, CELL = 64, TABLE_ROWS = 5000 };

/* A row a neuron; sorted by a click on a head. */
static void table_section(vdi_page *page, const inference *q) {
    static const char *const head[TABLE_COLUMNS] = {"neuron",      "sum",     "a second", "SNR",
                                                    "noise level", "decay s", "flags"};
    const int columns = quality_columns(), kinds = vdi_trace_quality_count();
    const int64_t n = q->neurons.count < TABLE_ROWS ? q->neurons.count : TABLE_ROWS;
    char *cells = (char *)calloc((size_t)n * TABLE_COLUMNS + 1, CELL);
    const char **cell = (const char **)calloc((size_t)n * TABLE_COLUMNS + 1, sizeof *cell);
    if (!cells || !cell) exit(fail("out of memory"));
    for (int64_t i = 0; i < n; i++) {
        const double *v = q->quality + i * columns;
        const double seconds = (double)(q->neurons.begin[i + 1] - q->neurons.begin[i]) *
                               (double)q->in->frames / q->fps;
        const double number[TABLE_COLUMNS - 1] = {
            q->neurons.name[i], q->total[i], q->total[i] / seconds, v[1], v[0], v[kinds + 1]};
        for (int k = 0; k < TABLE_COLUMNS; k++) {
            char *to = cells + (i * TABLE_COLUMNS + k) * CELL;
            cell[i * TABLE_COLUMNS + k] = to;
            if (k == TABLE_COLUMNS - 1)
                flags_text(q, i, to, CELL);
            else if (number[k] == number[k])
                snprintf(to, CELL, "%.4g", number[k]);
            else
                snprintf(to, CELL, "-");
        }
    }
    vdi_page_heading(page, 2, "Each neuron");
    vdi_page_text(page, "A click on the head of a column sorts. quality.csv has all measures, "
                        "params.csv those of the method.");
    vdi_page_table(page, head, TABLE_COLUMNS, cell, (int)n);
    vdi_page_script(page, page_sort_js);
    free(cells);
    free(cell);
}

/* What the kinds of flags say. */
static void flags_section(vdi_page *page, const inference *q) {
    char text[600];
    for (int c = 0; c < quality_columns(); c++) {
        int64_t flagged = 0;
        for (int64_t i = 0; i < q->neurons.count; i++)
            flagged += quality_flagged(q, i, c);
        if (flagged == 0) continue;
        snprintf(text, sizeof text, "%s: %lld of %lld neurons. %s.", quality_name(c),
                 (long long)flagged, (long long)q->neurons.count, quality_meaning(c));
        vdi_page_text(page, text);
    }
}

/* ---- some neurons ---------------------------------------------------------------------------- */

static void neuron_section(vdi_page *page, const inference *q, const drawn *d) {
    const int64_t n = d->frames;
    const int64_t width = (int64_t)fmin(20 * q->fps, (double)n) + 1;
    char text[400], flags[CELL];
    flags_text(q, d->neuron, flags, sizeof flags);
    snprintf(text, sizeof text, "Neuron %g", q->neurons.name[d->neuron]);
    vdi_page_heading(page, 3, text);
    snprintf(text, sizeof text, "The whole trace. Sum of what was inferred: %.4g (%s)%s%s.",
             q->total[d->neuron], q->unit, *flags ? "; flags: " : "", flags);
    neuron_figure(page, q, d, 0, n, text);
    if (width < n) {
        neuron_figure(page, q, d, busiest(d->spikes, n, width), width, "Its busiest 20 seconds.");
    }
}

/* Best and worst by quality: the first half of `shown` and the last. */
static bool neurons_section(vdi_page *page, inference *q, rows_in *truth, const ranked *order,
                            int64_t n, int64_t shown) {
    const int64_t drawn_count = shown < n ? shown : n, best = (drawn_count + 1) / 2;
    for (int64_t i = 0; i < drawn_count; i++) {
        const int64_t at = i < best ? i : n - drawn_count + i;
        drawn d = {0};
        if (i == 0 && drawn_count == n) vdi_page_heading(page, 2, "Neurons, best first");
        if (i == 0 && drawn_count < n) vdi_page_heading(page, 2, "The best by quality");
        if (i == best && drawn_count < n) vdi_page_heading(page, 2, "The worst by quality");
        const bool ok = drawn_read(q, truth, order[at].neuron, &d);
        if (ok) neuron_section(page, q, &d);
        drawn_free(&d);
        if (!ok) return false;
    }
    return true;
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
    ranked *order = (ranked *)calloc((size_t)neurons + 1, sizeof *order);
    if (!order) exit(fail("out of memory"));
    flags_section(&p.page, q);
    population_section(&p.page, q, order, rank(q, by_total, order));
    const int64_t known = rank(q, by_quality, order);
    const bool ok = neurons_section(&p.page, q, truth, order, known, shown);
    table_section(&p.page, q);
    free(order);
    return report_close(&p) && ok;
}
