/* examples/vdi/vilds_pictures.c - bound against iteration, latents through their space and time,
 * rates over raster */
#include "vilds.h"

static bool picture_end(vdi_figure *f, const char *path, vdi_page *page, vdi_error *err) {
    bool ok = true;
    if (page)
        vdi_page_figure(page, f, NULL);
    else
        ok = save_svg(path, f, err);
    vdi_figure_free(f);
    return ok;
}

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* ---- the bound ------------------------------------------------------------------------------- */

bool trace_picture(const char *path, vdi_page *page, const double *trace, int64_t rows,
                   vdi_error *err) {
    enum { WINDOW = 25 };
    double *smooth = doubles(rows);
    double *valid = doubles(rows);
    double *sorted = doubles(rows);
    double *copy = doubles(rows * TRACE_COLUMNS);
    double sum = 0;
    double seen = NAN;
    int64_t first = 0, full = 0, validations = 0;
    memcpy(copy, trace, (size_t)(rows * TRACE_COLUMNS) * sizeof *copy);
    for (int64_t i = 0; i < rows; i++) { /* a running mean that begins anew with each start */
        const double *row = trace + i * TRACE_COLUMNS;
        if (i == 0 || row[TRACE_START] != row[TRACE_START - TRACE_COLUMNS]) {
            first = i;
            sum = 0;
        }
        if (i > 0 && row[TRACE_START] != row[TRACE_START - TRACE_COLUMNS]) full = i;
        sum += row[TRACE_BOUND];
        if (i - first >= WINDOW) sum -= trace[(i - WINDOW) * TRACE_COLUMNS + TRACE_BOUND];
        smooth[i] = sum / (double)(i - first < WINDOW ? i - first + 1 : WINDOW);
        sorted[i] = row[TRACE_BOUND];
        /* a point where it was taken */
        valid[i] = row[TRACE_VALIDATION] != seen ? row[TRACE_VALIDATION] : NAN;
        validations += valid[i] == valid[i];
        seen = row[TRACE_VALIDATION];
    }
    qsort(sorted, (size_t)rows, sizeof *sorted, rising);
    vdi_figure f;
    vdi_figure_desc desc = {0};
    desc.title = "Bound against step";
    desc.height = 260;
    vdi_figure_init(&f, &desc);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    vdi_tensor all = vdi_tensor_2d(copy, VDI_F64, rows, TRACE_COLUMNS);
    vdi_tensor step = vdi_tensor_index(all, 1, TRACE_STEP);
    p->x.label = "step";
    p->y.label = "nats per bin";
    if (rows > 20 && sorted[rows / 10] < sorted[rows - 1]) {
        /* the first steps of a start would fill the axis */
        p->y.has_limits = true;
        p->y.high = sorted[rows - 1] + 0.05 * (sorted[rows - 1] - sorted[rows / 10]);
        p->y.low = sorted[rows / 10] - 0.2 * (sorted[rows - 1] - sorted[rows / 10]);
    }
    vdi_series *s = vdi_panel_line(p, "one step's batch, channels that it saw",
                                   vdi_tensor_index(all, 1, TRACE_BOUND));
    s->x = step;
    s->color = VDI_COLOR_GREY;
    s->width = 0.7;
    s->opacity = 0.6;
    s = vdi_panel_line(p, "mean of 25 steps", vdi_tensor_1d(smooth, VDI_F64, rows));
    s->x = step;
    s->color = VDI_COLOR_BLUE;
    if (validations) {
        s = vdi_panel_scatter(p, "validation, all channels", step,
                              vdi_tensor_1d(valid, VDI_F64, rows));
        s->color = VDI_COLOR_VERMILION;
    }
    if (full > 0) vdi_panel_rule(p, "the best start goes on", 'x', trace[full * TRACE_COLUMNS]);
    bool ok = picture_end(&f, path, page, err);
    free(smooth);
    free(valid);
    free(sorted);
    free(copy);
    return ok;
}

/* ---- the latents ----------------------------------------------------------------------------- */

bool label_load(const char *path, int64_t trials, int64_t T, double **label) {
    vdi_tensor t;
    char text[VDI_SHAPE_TEXT];
    *label = NULL;
    if (!path) return true;
    if (!array_load(path, &t)) return false;
    bool one = t.ndim == 1 && t.shape[0] == trials;
    bool flat = t.ndim == 1 && trials == 1 && t.shape[0] == T;
    bool each = (t.ndim == 2 || (t.ndim == 3 && t.shape[2] == 1)) && t.shape[0] == trials &&
                t.shape[1] == T;
    bool single = t.ndim == 2 && trials == 1 && t.shape[0] == T && t.shape[1] == 1;
    if (!one && !flat && !each && !single) {
        (void)fail("expected one label for each trial (%lld,) or bin (%lld,%lld), got %s, in %s",
                   (long long)trials, (long long)trials, (long long)T,
                   vdi_tensor_shape_text(t, text), path);
        vdi_tensor_free(NULL, &t);
        return false;
    }
    *label = doubles(trials * T);
    for (int64_t i = 0; i < trials * T; i++)
        (*label)[i] = ((const double *)t.data)[one && !flat ? i / T : i];
    vdi_tensor_free(NULL, &t);
    return true;
}

bool latents_picture(const char *path, vdi_page *page, int64_t trials, int64_t T, int64_t d,
                     const int64_t *lengths, const double *mean, const double *cov,
                     const double *label, vdi_error *err) {
    enum { SHOWN = 24, AXES = 6 };
    const int64_t shown = trials < SHOWN ? trials : SHOWN;
    const int64_t axes = d < AXES ? d : AXES;
    const int64_t cols = d > 1 ? 2 : 1;
    const int64_t length0 = lengths ? lengths[0] : T;
    double *z = doubles(trials * T * d);
    double *color = doubles(trials * T);
    double *low = doubles(axes * T);
    double *high = doubles(axes * T);
    memcpy(z, mean, (size_t)(trials * T * d) * sizeof *z);
    for (int64_t i = 0; i < trials * T; i++)
        color[i] = label ? label[i] : (double)(i % T);
    vdi_figure f;
    vdi_figure_desc desc = {0};
    desc.cols = (int)cols;
    desc.rows = (int)((axes + cols - 1) / cols + (d > 1));
    desc.height = 110;
    desc.title = d > 1 ? "Latents: posterior means" : "Latent: posterior mean";
    vdi_figure_init(&f, &desc);
    for (int side = 0; side < (d > 2 && axes % 2 ? 3 : 2) && d > 1; side++) {
        /* through the plane of two axes: z1 z2, z1 z3, and z2 z3 where a place is left; with two
         * axes the first trial alone */
        vdi_panel *p =
            side == 2 ? vdi_figure_panel(&f, desc.rows - 1, 1) : vdi_figure_panel(&f, 0, side);
        const int64_t across = side == 2;
        const int64_t up = side && d > 2 ? 2 : 1;
        const int64_t count = side && d == 2 ? 1 : shown;
        if (side < 2) {
            p->height = 280;
            p->title = count == 1 ? "first trial" : vdi_figure_text(&f, "%d trials", (int)count);
        }
        p->x.label = across ? "z2" : "z1";
        p->y.label = up == 2 ? "z3" : "z2";
        p->value.label = label ? "label" : "time (bins)";
        for (int64_t i = 0; i < count; i++) {
            const int64_t length = lengths ? lengths[i] : T;
            vdi_tensor trial = vdi_tensor_2d(z + i * T * d, VDI_F64, length, d);
            vdi_series *s = vdi_panel_line(p, NULL, vdi_tensor_index(trial, 1, up));
            s->x = vdi_tensor_index(trial, 1, across);
            s->by = vdi_tensor_1d(color + i * T, VDI_F64, length);
            s->opacity = count == 1 ? 1 : 0.7;
        }
    }
    for (int64_t k = 0; k < axes; k++) { /* over time: the first trial with its uncertainty */
        vdi_panel *p = vdi_figure_panel(&f, (int)(k / cols + (d > 1)), (int)(k % cols));
        vdi_tensor trial = vdi_tensor_2d(z, VDI_F64, length0, d);
        p->y.label = vdi_figure_text(&f, "z%d", (int)k + 1);
        p->x.label = "time (bins)";
        if (k == 0) p->title = "first trial, two standard deviations";
        for (int64_t t = 0; t < length0; t++) {
            double sd = sqrt(cov[t * d * d + k * d + k]);
            low[k * T + t] = z[t * d + k] - 2 * sd;
            high[k * T + t] = z[t * d + k] + 2 * sd;
        }
        vdi_panel_band(p, NULL, vdi_tensor_1d(low + k * T, VDI_F64, length0),
                       vdi_tensor_1d(high + k * T, VDI_F64, length0))
            ->color = VDI_COLOR_BLUE;
        vdi_panel_line(p, NULL, vdi_tensor_index(trial, 1, k))->color = VDI_COLOR_BLUE;
    }
    bool ok = picture_end(&f, path, page, err);
    free(z);
    free(color);
    free(low);
    free(high);
    return ok;
}

/* ---- rates over raster ----------------------------------------------------------------------- */

bool rates_picture(const char *path, vdi_page *page, int64_t T, int64_t n, const double *y,
                   const double *rate, bool counts, vdi_error *err) {
    double *r = doubles(n * T), *seen = doubles(n * T), *key = doubles(2 * n);
    for (int64_t j = 0; j < n; j++) { /* channels in the order of their peaks */
        int64_t best = 0;
        for (int64_t t = 1; t < T; t++)
            if (rate[t * n + j] > rate[best * n + j]) best = t;
        key[2 * j] = (double)best;
        key[2 * j + 1] = (double)j;
    }
    qsort(key, (size_t)n, 2 * sizeof *key, rising);
    for (int64_t j = 0; j < n; j++) {
        for (int64_t t = 0; t < T; t++) {
            const int64_t from = t * n + (int64_t)key[2 * j + 1];
            r[j * T + t] = rate[from];
            seen[j * T + t] = counts && y[from] != y[from] ? 0 : y[from];
        }
    }
    vdi_figure f;
    vdi_figure_desc desc = {0};
    desc.rows = 2;
    desc.height = n < 20 ? 120 : n > 60 ? 260 : 60 + (double)n * 3.3;
    desc.title = "First trial, channels in the order of their peaks";
    vdi_figure_init(&f, &desc);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->y.label = "channel";
    p->x.bare = true;
    p->value.label = counts ? "rate (per bin)" : "mean";
    vdi_panel_heatmap(p, vdi_tensor_2d(r, VDI_F64, n, T));
    p = vdi_figure_panel(&f, 1, 0);
    p->y.label = "channel";
    p->x.label = "time (bins)";
    if (counts) {
        vdi_panel_raster(p, vdi_tensor_2d(seen, VDI_F64, n, T));
    } else {
        p->value.label = "observed";
        vdi_panel_heatmap(p, vdi_tensor_2d(seen, VDI_F64, n, T));
    }
    bool ok = picture_end(&f, path, page, err);
    free(r);
    free(seen);
    free(key);
    return ok;
}
