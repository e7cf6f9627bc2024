/* io/figure_maps.h - heat maps and spike rasters of a figure: their extent, and how they are drawn
 *
 * Coordinates are inside the plot area. There is no public part.
 */
#ifndef VDI_IO_FIGURE_MAPS_H
#define VDI_IO_FIGURE_MAPS_H
#include "figure_view.h"
#include "markup.h"

#endif /* VDI_IO_FIGURE_MAPS_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_FIGURE_MAPS_C)
#define VDI_IO_FIGURE_MAPS_C

VDI__FN void vdi__extent_raster(vdi__view *v, const vdi_series *s, vdi__extent *e) {
    const vdi_panel *p = v->p;
    double half_x = 0.5 * vdi__step(p->dx), half_y = 0.5 * vdi__step(p->dy);
    if (!vdi_tensor_count(s->y)) return;
    vdi__range_take(&e->x, p->x0 - half_x);
    vdi__range_take(&e->x, p->x0 + (double)(s->y.shape[1] - 1) * vdi__step(p->dx) + half_x);
    vdi__range_take(&e->y, p->y0 - half_y);
    vdi__range_take(&e->y, vdi__y_at(p, (double)(s->y.shape[0] - 1)) + half_y);
    e->sign_x = half_x;
    e->sign_y = half_y;
}

VDI__FN void vdi__extent_heatmap(vdi__view *v, const vdi_series *s, vdi__extent *e) {
    vdi__extent_raster(v, s, e);
    v->colors = v->pale = true;
    for (int64_t i = 0; i < s->y.shape[0]; i++) {
        for (int64_t k = 0; k < s->y.shape[1]; k++)
            vdi__range_take(&e->value, vdi__at2(s->y, i, k));
    }
}

/* The mean over rows [i0,i1) and columns [k0,k1) as a level of the palette; 255 is nothing. `value`
 * NULL: the share of cells that are not 0. */
VDI__FN uint8_t vdi__cell_level(const vdi_series *s, const vdi__scale *value, int64_t i0,
                                int64_t i1, int64_t k0, int64_t k1) {
    double sum = 0, count = 0;
    for (int64_t i = i0; i < i1; i++) {
        for (int64_t k = k0; k < k1; k++) {
            const double at = vdi__at2(s->y, i, k);
            const double a = value ? vdi__to_pixel(value, at) : (double)(at > 0 || at < 0);
            if (a != a) continue;
            sum += a;
            count++;
        }
    }
    if (count == 0 || (!value && sum == 0)) return 255;
    double level = sum / count;
    if (!value) level = sqrt(level); /* a single spike in a wide cell still shows */
    return (uint8_t)(0.5 + 254 * VDI__MIN(VDI__MAX(level, 0), 1));
}

/* A map as an image of at most the panel's pixels. */
VDI__FN void vdi__draw_image(vdi_writer *w, const vdi__view *v, const vdi_series *s,
                             const vdi__scale *value, const vdi_rgb palette[255]) {
    vdi_png png;
    uint8_t row[4096];
    int64_t h = s->y.shape[0], n = s->y.shape[1];
    int cols = (int)VDI__MIN(n, (int64_t)VDI__MIN(v->width, 2000.0));
    int rows = (int)VDI__MIN(h, (int64_t)VDI__MIN(v->height, 2000.0));
    double x0 = vdi__to_pixel(&v->x, v->p->x0 - 0.5 * vdi__step(v->p->dx));
    double x1 = vdi__to_pixel(&v->x, v->p->x0 + ((double)n - 0.5) * vdi__step(v->p->dx));
    double y0 = vdi__to_pixel(&v->y, vdi__y_at(v->p, -0.5));
    double y1 = vdi__to_pixel(&v->y, vdi__y_at(v->p, (double)h - 0.5));
    vdi_write_text(w, "<g transform=\"matrix(");
    vdi_write_format(w, "%.8g 0 0 %.8g %.8g %.8g)\">", (x1 - x0) / cols, (y1 - y0) / rows, x0, y0);
    vdi__image_begin(w, &png, cols, rows, cols, rows, palette, true);
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c++)
            row[c] = vdi__cell_level(s, value, h * r / rows, h * (r + 1) / rows, n * c / cols,
                                     n * (c + 1) / cols);
        vdi_png_row(&png, row);
    }
    vdi__image_end(w);
    vdi_write_text(w, "</g>\n");
}

VDI__FN void vdi__draw_cell(vdi_writer *w, const vdi__view *v, int64_t i, int64_t k, vdi_rgb c) {
    const double dx = 0.5 * vdi__step(v->p->dx);
    const double at = v->p->x0 + (double)k * 2 * dx;
    const double xa = vdi__to_pixel(&v->x, at - dx), xb = vdi__to_pixel(&v->x, at + dx);
    const double ya = vdi__to_pixel(&v->y, vdi__y_at(v->p, (double)i - 0.5));
    const double yb = vdi__to_pixel(&v->y, vdi__y_at(v->p, (double)i + 0.5));
    vdi_write_text(w, "<rect");
    vdi__attribute(w, "x", VDI__MIN(xa, xb));
    vdi__attribute(w, "y", VDI__MIN(ya, yb));
    vdi__attribute(w, "width", fabs(xb - xa));
    vdi__attribute(w, "height", fabs(yb - ya));
    vdi_write_format(w, " fill=\"rgb(%d,%d,%d)\"/>\n", c.r, c.g, c.b);
}

VDI__FN void vdi__draw_heatmap(vdi_writer *w, vdi__view *v, const vdi_series *s, int color) {
    vdi_rgb palette[255];
    const int64_t h = s->y.shape[0], n = s->y.shape[1];
    vdi__scale value = v->value;
    (void)color;
    if (h * n == 0) return;
    value.origin = 0;
    value.length = 1;
    vdi__palette(v, palette);
    if (h * n > 2000) {
        vdi__draw_image(w, v, s, &value, palette);
        return;
    }
    vdi_write_text(w, "<g shape-rendering=\"crispEdges\">\n");
    for (int64_t i = 0; i < h; i++) {
        for (int64_t k = 0; k < n; k++) {
            const double level = vdi__to_pixel(&value, vdi__at2(s->y, i, k));
            if (level != level) continue;
            vdi__draw_cell(w, v, i, k, palette[(int)(0.5 + 254 * VDI__MIN(VDI__MAX(level, 0), 1))]);
        }
    }
    vdi_write_text(w, "</g>\n");
}

/* The ticks of row i, of that length. */
VDI__FN void vdi__draw_spikes(vdi_writer *w, const vdi__view *v, const vdi_series *s, int64_t i,
                              double length) {
    const double y = vdi__to_pixel(&v->y, vdi__y_at(v->p, (double)i)) - length / 2;
    double last = -1e9;
    for (int64_t k = 0; k < s->y.shape[1]; k++) {
        const double a = vdi__at2(s->y, i, k);
        const double x = vdi__to_pixel(&v->x, v->p->x0 + (double)k * vdi__step(v->p->dx));
        /* two ticks in one place look like one */
        if (!(a > 0 || a < 0) || fabs(x - last) < 0.4) continue;
        vdi__point(w, 'M', x, y);
        vdi_write(w, "v", 1);
        vdi__px(w, length);
        last = x;
    }
}

VDI__FN void vdi__draw_raster(vdi_writer *w, vdi__view *v, const vdi_series *s, int color) {
    const int64_t h = s->y.shape[0], n = s->y.shape[1];
    const double tall =
        fabs(vdi__to_pixel(&v->y, vdi__y_at(v->p, 1)) - vdi__to_pixel(&v->y, vdi__y_at(v->p, 0)));
    const double length = VDI__MAX(0.75 * tall, VDI__MIN(tall, 1));
    int64_t ticks = 0;
    char buf[24];
    if (h * n == 0) return;
    for (int64_t i = 0; i < h; i++) {
        for (int64_t k = 0; k < n; k++)
            ticks += vdi__at2(s->y, i, k) != 0;
    }
    if (ticks > 20000) {
        vdi_rgb palette[255];
        for (int i = 0; i < 255; i++)
            palette[i] = vdi_color_oklch(0.92 - 0.62 * i / 254.0, 0.02, 250);
        vdi__draw_image(w, v, s, NULL, palette);
        return;
    }
    vdi_write_format(w, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" opacity=\"%g\" d=\"",
                     vdi__ink(s, "currentColor", color, buf), s->width > 0 ? s->width : 1.0,
                     s->opacity > 0 ? s->opacity : 0.85);
    for (int64_t i = 0; i < h; i++)
        vdi__draw_spikes(w, v, s, i, length);
    vdi_write_text(w, "\"/>\n");
}
#endif
