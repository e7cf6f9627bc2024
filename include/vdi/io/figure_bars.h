/* io/figure_bars.h - bars, histograms and rules of a figure: extent, bins, and how they are drawn
 *
 * Coordinates are inside the plot area. There is no public part.
 */
#ifndef VDI_IO_FIGURE_BARS_H
#define VDI_IO_FIGURE_BARS_H
#include "figure_view.h"
#include "markup.h"

#endif /* VDI_IO_FIGURE_BARS_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_FIGURE_BARS_C)
#define VDI_IO_FIGURE_BARS_C

/* ---- bars ---- */

VDI__FN void vdi__extent_bars(vdi__view *v, const vdi_series *s, vdi__extent *e) {
    v->categories = true;
    e->upright = true;
    vdi__range_take(&e->x, -0.5);
    vdi__range_take(&e->x, (double)s->y.shape[1] - 0.5);
    vdi__range_take(&e->y, 0);
    for (int64_t i = 0; i < s->y.shape[0]; i++) {
        for (int64_t k = 0; k < s->y.shape[1]; k++) {
            double a = vdi__at2(s->y, i, k), error = s->z.data ? fabs(vdi__at2(s->z, i, k)) : 0;
            vdi__range_take(&e->y, a);
            vdi__range_take(&e->y, a < 0 ? a - error : a + error);
        }
    }
}

/* Group g of the bars, as one path, and its whiskers. */
VDI__FN void vdi__draw_group(vdi_writer *w, const vdi__view *v, const vdi_series *s, int64_t g,
                             double base) {
    const int64_t groups = s->y.shape[0], n = s->y.shape[1];
    const double slot = 0.76 / (double)groups;
    for (int64_t k = 0; k < n; k++) {
        const double at = (double)k - 0.38 + (double)g * slot;
        const double top = vdi__to_pixel(&v->y, vdi__at2(s->y, g, k));
        const double a = vdi__to_pixel(&v->x, at);
        const double b = vdi__to_pixel(&v->x, at + slot * (groups > 1 ? 0.94 : 1));
        if (top != top) continue;
        vdi__point(w, 'M', a, base);
        vdi__point(w, 'L', a, top);
        vdi__point(w, 'L', b, top);
        vdi__point(w, 'L', b, base);
        vdi_write(w, "Z", 1);
    }
    vdi_write_text(w, "\"/>\n");
}

VDI__FN void vdi__draw_whiskers(vdi_writer *w, const vdi__view *v, const vdi_series *s, int64_t g) {
    const double slot = 0.76 / (double)s->y.shape[0];
    vdi_write_text(w, "<path fill=\"none\" stroke=\"currentColor\" stroke-width=\"1\" d=\"");
    for (int64_t k = 0; k < s->y.shape[1]; k++) {
        const double value = vdi__at2(s->y, g, k), e = vdi__at2(s->z, g, k);
        const double x = vdi__to_pixel(&v->x, (double)k - 0.38 + ((double)g + 0.47) * slot);
        const double a = vdi__to_pixel(&v->y, value - e), b = vdi__to_pixel(&v->y, value + e);
        if (a != a || b != b) continue;
        vdi__point(w, 'M', x, a);
        vdi__point(w, 'L', x, b);
    }
    vdi_write_text(w, "\"/>\n");
}

VDI__FN void vdi__draw_bars(vdi_writer *w, vdi__view *v, const vdi_series *s, int color) {
    char buf[24];
    const int64_t groups = s->y.shape[0];
    const bool crossed = v->y.low < 0 && v->y.high > 0 && !v->y.log;
    const double foot = v->y.log ? pow(10, v->y.low) : VDI__MAX(v->y.low, VDI__MIN(0, v->y.high));
    const double base = vdi__to_pixel(&v->y, foot);
    for (int64_t g = 0; g < groups; g++) {
        vdi_write_format(w, "<path fill=\"%s\" opacity=\"%g\" d=\"",
                         vdi__ink(s, NULL, color + (int)(g % VDI_COLOR_CATEGORIES), buf),
                         s->opacity > 0 ? s->opacity : 0.9);
        vdi__draw_group(w, v, s, g, base);
        if (g == groups - 1 && crossed) { /* where the bars stand, if not on the axis */
            vdi_write_text(w, "<path stroke=\"currentColor\" stroke-width=\"0.8\" d=\"");
            vdi__point(w, 'M', 0, base);
            vdi__point(w, 'L', v->width, base);
            vdi_write_text(w, "\"/>\n");
        }
        if (s->z.data) vdi__draw_whiskers(w, v, s, g);
    }
}

/* ---- histograms ---- */

/* What decides about bins. */
typedef struct vdi__sample {
    vdi__range range;
    double n, mean, square; /* of squared deviations */
    bool whole;             /* all numbers are */
} vdi__sample;

VDI__FN void vdi__sample_take(vdi__sample *u, vdi_tensor t) {
    const int64_t last = t.ndim ? t.shape[t.ndim - 1] : 1, step = t.ndim ? t.stride[t.ndim - 1] : 1;
    for (vdi__rows rows = vdi__rows_begin(t); rows.left > 0; vdi__rows_next(&rows, t)) {
        const void *data = vdi__tensor_at(t, vdi__rows_offset(&rows, t));
        for (int64_t i = 0; i < last; i++) {
            const double v = vdi_dtype_load(t.dtype, data, i * step);
            if (!(fabs(v) < 1e150)) continue;
            vdi__range_take(&u->range, v);
            u->whole = u->whole && v == floor(v);
            u->n++;
            u->square += (v - u->mean) * (v - u->mean) * ((u->n - 1) / u->n);
            u->mean += (v - u->mean) / u->n;
        }
    }
}

/* Bins shared by all histograms of a panel. */
VDI__FN void vdi__bins_choose(const vdi_panel *p, vdi__bins *b) {
    vdi__sample u = VDI__ZERO;
    int wanted = 0;
    u.whole = true;
    memset(b, 0, sizeof *b);
    for (const vdi_series *s = p->first; s; s = s->next) {
        if (s->kind != VDI_SERIES_HISTOGRAM || vdi_tensor_count(s->y) == 0) continue;
        if (!wanted) wanted = s->bins;
        vdi__sample_take(&u, s->y);
    }
    const vdi__range r = u.range;
    const double range = r.high - r.low;
    const double best = u.n > 0 ? 3.49 * sqrt(u.square / u.n) / cbrt(u.n) : 0;
    if (!r.any || range <= 1e-10 * fabs(r.high)) { /* nothing, or one value */
        const double half = r.any && fabs(r.high) > 1e3 ? 1e-3 * fabs(r.high) : 0.5;
        b->low = (r.any ? r.low : 0) - half;
        b->width = 2 * half;
        b->count = 1;
        return;
    }
    b->low = r.low;
    if (wanted > 0) {
        b->count = VDI__MIN(wanted, VDI__BINS);
    } else if (u.whole && range < 60) {
        b->low -= 0.5;
        b->width = 1;
        b->count = (int)range + 1;
        return;
    } else {
        b->count = (int)VDI__MIN(VDI__MAX(ceil(range / VDI__MAX(best, range / 100)), 5), 100);
    }
    b->width = range / b->count;
}

VDI__FN void vdi__bins_fill(const vdi_series *s, vdi__bins *b) {
    memset(b->hits, 0, sizeof b->hits);
    if (vdi_tensor_count(s->y) == 0) return;
    int64_t last = s->y.ndim ? s->y.shape[s->y.ndim - 1] : 1;
    int64_t step = s->y.ndim ? s->y.stride[s->y.ndim - 1] : 1;
    for (vdi__rows rows = vdi__rows_begin(s->y); rows.left > 0; vdi__rows_next(&rows, s->y)) {
        const void *data = vdi__tensor_at(s->y, vdi__rows_offset(&rows, s->y));
        for (int64_t i = 0; i < last; i++) {
            double at = (vdi_dtype_load(s->y.dtype, data, i * step) - b->low) / b->width;
            if (at >= 0 && at <= b->count * (1 + 1e-12)) b->hits[VDI__MIN((int)at, b->count - 1)]++;
        }
    }
}

VDI__FN void vdi__extent_histogram(vdi__view *v, const vdi_series *s, vdi__extent *e) {
    vdi__bins *bins = &v->bins;
    e->upright = true;
    vdi__range_take(&e->x, bins->low);
    vdi__range_take(&e->x, bins->low + bins->count * bins->width);
    vdi__range_take(&e->y, 0);
    vdi__bins_fill(s, bins);
    for (int i = 0; i < bins->count; i++)
        vdi__range_take(&e->y, (double)bins->hits[i]);
}

VDI__FN void vdi__draw_histogram(vdi_writer *w, vdi__view *v, const vdi_series *s, int color) {
    char buf[24];
    const char *ink = vdi__ink(s, NULL, color, buf);
    double base = vdi__to_pixel(&v->y, v->y.log ? pow(10, v->y.low) : 0);
    vdi__bins *b = &v->bins;
    vdi__bins_fill(s, b);
    vdi_write_format(w,
                     "<path fill=\"%s\" fill-opacity=\"%g\" stroke=\"%s\" stroke-width=\"1\" d=\"",
                     ink, s->opacity > 0 ? s->opacity : 0.45, ink);
    vdi__point(w, 'M', vdi__to_pixel(&v->x, b->low), base);
    for (int i = 0; i < b->count; i++) {
        double top = b->hits[i] ? vdi__to_pixel(&v->y, (double)b->hits[i]) : base;
        vdi__point(w, 'L', vdi__to_pixel(&v->x, b->low + i * b->width), top);
        vdi__point(w, 'L', vdi__to_pixel(&v->x, b->low + (i + 1) * b->width), top);
    }
    vdi__point(w, 'L', vdi__to_pixel(&v->x, b->low + b->count * b->width), base);
    vdi_write_text(w, "\"/>\n");
}

/* ---- rules ---- */

#define VDI__RULE_INK "#888"

VDI__FN void vdi__extent_rule(vdi__view *v, const vdi_series *s, vdi__extent *e) {
    (void)v;
    vdi__range_take(s->axis == 'x' ? &e->x : &e->y, s->at);
}

VDI__FN void vdi__draw_rule(vdi_writer *w, vdi__view *v, const vdi_series *s, int color) {
    char buf[24];
    bool upright = s->axis == 'x';
    double at = vdi__to_pixel(upright ? &v->x : &v->y, s->at);
    if (at != at) return;
    vdi_write_format(
        w, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" stroke-dasharray=\"5 3\" d=\"",
        vdi__ink(s, VDI__RULE_INK, color, buf), s->width > 0 ? s->width : 1.0);
    vdi__point(w, 'M', upright ? at : 0, upright ? 0 : at);
    vdi__point(w, 'L', upright ? at : v->width, upright ? v->height : at);
    vdi_write_text(w, "\"/>\n");
}
#endif
