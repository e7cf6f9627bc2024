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

enum { SHOWN = 24, AXES = 6, CATEGORIES = 6 };

/* What is drawn, and memory for it that lasts as long as the figure. */
typedef struct latents_drawing {
    const latents_view *v;
    vdi_figure *f;
    int64_t shown;      /* trials */
    double *z, *color;  /* (trials,T,d), (trials,T) */
    double *low, *high; /* (AXES,CATEGORIES,T) */
    double *middle;     /* likewise: means of conditions */
    int categories;     /* 0: labels are a scale */
    double value[CATEGORIES];
} latents_drawing;

static int64_t trial_length(const latents_view *v, int64_t trial) {
    return v->lengths ? v->lengths[trial] : v->T;
}

static int category_of(const latents_drawing *g, int64_t trial) {
    int k = 0;
    while (k < g->categories && g->value[k] != g->v->label[trial * g->v->T])
        k++;
    return k;
}

/* Labels are categories if they are a few whole numbers, one for each trial. */
static void categories_find(latents_drawing *g) {
    const latents_view *v = g->v;
    for (int64_t i = 0; v->label && i < v->trials; i++) {
        const double *label = v->label + i * v->T;
        bool same = label[0] == floor(label[0]) && fabs(label[0]) < 1e6;
        for (int64_t t = 1; same && t < v->T; t++)
            same = label[t] == label[0];
        if (same && category_of(g, i) < g->categories) continue;
        if (!same || g->categories == CATEGORIES) {
            g->categories = 0;
            return;
        }
        g->value[g->categories++] = label[0];
    }
    qsort(g->value, (size_t)g->categories, sizeof *g->value, rising);
    if (v->trials == g->categories) g->categories = 0; /* each trial by itself is no condition */
}

static const char *category_name(const latents_drawing *g, int category) {
    return vdi_figure_text(g->f, "%d", (int)g->value[category]);
}

static const char *time_label(const latents_view *v) {
    return v->bin > 0 ? "time (s)" : "time (bins)";
}

/* Trials through the plane of two axes, coloured by label, by condition or by time. */
static void latents_plane(const latents_drawing *g, vdi_panel *p, int64_t across, int64_t up,
                          int64_t count) {
    const latents_view *v = g->v;
    bool named[CATEGORIES] = {false};
    p->x.label = vdi_figure_text(g->f, "z%d", (int)across + 1);
    p->y.label = vdi_figure_text(g->f, "z%d", (int)up + 1);
    if (!g->categories) p->value.label = v->label ? "label" : time_label(v);
    for (int64_t i = 0; i < count; i++) {
        const int64_t length = trial_length(v, i);
        const int k = g->categories ? category_of(g, i) : 0;
        vdi_tensor trial = vdi_tensor_2d(g->z + i * v->T * v->d, VDI_F64, length, v->d);
        const char *name = g->categories && !named[k] ? category_name(g, k) : NULL;
        vdi_series *s = vdi_panel_line(p, name, vdi_tensor_index(trial, 1, up));
        s->x = vdi_tensor_index(trial, 1, across);
        s->opacity = count == 1 ? 1 : 0.7;
        if (g->categories)
            s->color = (vdi_color)(VDI_COLOR_BLUE + k);
        else
            s->by = vdi_tensor_1d(g->color + i * v->T, VDI_F64, length);
        named[k] = true;
    }
}

/* Latent k of the first trial over time, with two standard deviations. */
static void latents_first(const latents_drawing *g, vdi_panel *p, int64_t k) {
    const latents_view *v = g->v;
    const int64_t T = v->T, d = v->d, length = trial_length(v, 0);
    double *low = g->low + k * CATEGORIES * T, *high = g->high + k * CATEGORIES * T;
    vdi_tensor trial = vdi_tensor_2d(g->z, VDI_F64, length, d);
    for (int64_t t = 0; t < length; t++) {
        const double sd = sqrt(v->cov[t * d * d + k * d + k]);
        low[t] = g->z[t * d + k] - 2 * sd;
        high[t] = g->z[t * d + k] + 2 * sd;
    }
    vdi_panel_band(p, NULL, vdi_tensor_1d(low, VDI_F64, length),
                   vdi_tensor_1d(high, VDI_F64, length))
        ->color = VDI_COLOR_BLUE;
    vdi_panel_line(p, NULL, vdi_tensor_index(trial, 1, k))->color = VDI_COLOR_BLUE;
}

/* The mean of latent k over the trials of a condition, and two standard errors of it; how many bins
 * two trials or more have. */
static int64_t condition_mean(const latents_drawing *g, int category, int64_t k, double *mean,
                              double *low, double *high) {
    const latents_view *v = g->v;
    int64_t bins = 0;
    for (int64_t t = 0; t < v->T; t++, bins++) {
        double count = 0, sum = 0, square = 0;
        for (int64_t i = 0; i < v->trials; i++) {
            if (t >= trial_length(v, i) || category_of(g, i) != category) continue;
            const double z = g->z[(i * v->T + t) * v->d + k];
            count += 1;
            sum += z;
            square += z * z;
        }
        if (count < 2) break;
        const double variance = (square - sum * sum / count) / (count - 1);
        const double error = sqrt(fmax(variance, 0) / count);
        mean[t] = sum / count;
        low[t] = mean[t] - 2 * error;
        high[t] = mean[t] + 2 * error;
    }
    return bins;
}

/* Latent k of all trials over time, faint, and the means of the conditions. */
static void latents_conditions(const latents_drawing *g, vdi_panel *p, int64_t k) {
    const latents_view *v = g->v;
    for (int64_t i = 0; i < g->shown; i++) {
        vdi_tensor trial = vdi_tensor_2d(g->z + i * v->T * v->d, VDI_F64, trial_length(v, i), v->d);
        vdi_series *s = vdi_panel_line(p, NULL, vdi_tensor_index(trial, 1, k));
        s->color = (vdi_color)(VDI_COLOR_BLUE + category_of(g, i));
        s->opacity = 0.25;
        s->width = 0.7;
    }
    for (int c = 0; c < g->categories; c++) {
        const int64_t at = (k * CATEGORIES + c) * v->T;
        const int64_t bins = condition_mean(g, c, k, g->middle + at, g->low + at, g->high + at);
        if (bins == 0) continue;
        vdi_panel_band(p, NULL, vdi_tensor_1d(g->low + at, VDI_F64, bins),
                       vdi_tensor_1d(g->high + at, VDI_F64, bins))
            ->color = (vdi_color)(VDI_COLOR_BLUE + c);
        vdi_series *s = vdi_panel_line(p, NULL, vdi_tensor_1d(g->middle + at, VDI_F64, bins));
        s->color = (vdi_color)(VDI_COLOR_BLUE + c);
        s->width = 2;
    }
}

static void latents_panels(const latents_drawing *g, int64_t axes, int64_t cols, int rows) {
    const latents_view *v = g->v;
    const int64_t d = v->d;
    for (int side = 0; side < (d > 2 && axes % 2 ? 3 : 2) && d > 1; side++) {
        /* through the plane of two axes: z1 z2, z1 z3, and z2 z3 where a place is left; with two
         * axes the first trial alone */
        vdi_panel *p =
            side == 2 ? vdi_figure_panel(g->f, rows - 1, 1) : vdi_figure_panel(g->f, 0, side);
        const int64_t count = side && d == 2 ? 1 : g->shown;
        if (side < 2) {
            p->height = 280;
            p->title = count == 1 ? "first trial" : vdi_figure_text(g->f, "%d trials", (int)count);
        }
        latents_plane(g, p, side == 2, side && d > 2 ? 2 : 1, count);
    }
    for (int64_t k = 0; k < axes; k++) {
        vdi_panel *p = vdi_figure_panel(g->f, (int)(k / cols + (d > 1)), (int)(k % cols));
        p->y.label = vdi_figure_text(g->f, "z%d", (int)k + 1);
        p->x.label = time_label(v);
        p->dx = v->bin;
        if (k == 0)
            p->title = g->categories ? "all trials; means of conditions, two standard errors"
                                     : "first trial, two standard deviations";
        if (g->categories)
            latents_conditions(g, p, k);
        else
            latents_first(g, p, k);
    }
}

double vilds_bin_seconds(const vdi_vilds_desc *d) { return d->bin_width == 1 ? 0 : d->bin_width; }

bool latents_picture(const char *path, vdi_page *page, const latents_view *v, vdi_error *err) {
    const int64_t axes = v->d < AXES ? v->d : AXES, cols = v->d > 1 ? 2 : 1;
    const int64_t values = v->trials * v->T;
    vdi_figure f;
    vdi_figure_desc desc = {0};
    latents_drawing g = {.v = v, .f = &f, .shown = v->trials < SHOWN ? v->trials : SHOWN};
    g.z = doubles(values * v->d);
    g.color = doubles(values);
    g.low = doubles(axes * CATEGORIES * v->T);
    g.high = doubles(axes * CATEGORIES * v->T);
    g.middle = doubles(axes * CATEGORIES * v->T);
    memcpy(g.z, v->mean, (size_t)(values * v->d) * sizeof *g.z);
    for (int64_t i = 0; i < values; i++)
        g.color[i] = v->label ? v->label[i] : (double)(i % v->T) * (v->bin > 0 ? v->bin : 1);
    categories_find(&g);
    desc.cols = (int)cols;
    desc.rows = (int)((axes + cols - 1) / cols + (v->d > 1));
    desc.height = 110;
    desc.title = v->d > 1 ? "Latents: posterior means" : "Latent: posterior mean";
    vdi_figure_init(&f, &desc);
    latents_panels(&g, axes, cols, desc.rows);
    bool ok = picture_end(&f, path, page, err);
    double *own[] = {g.z, g.color, g.low, g.high, g.middle};
    for (int i = 0; i < (int)VDI__COUNT(own); i++)
        free(own[i]);
    return ok;
}

/* ---- rates over raster ----------------------------------------------------------------------- */

bool rates_picture(const char *path, vdi_page *page, int64_t T, int64_t n, const double *y,
                   const double *rate, bool counts, double bin, vdi_error *err) {
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
    p->dx = bin;
    p->value.label = counts ? "rate (per bin)" : "mean";
    vdi_panel_heatmap(p, vdi_tensor_2d(r, VDI_F64, n, T));
    p = vdi_figure_panel(&f, 1, 0);
    p->y.label = "channel";
    p->x.label = bin > 0 ? "time (s)" : "time (bins)";
    p->dx = bin;
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
