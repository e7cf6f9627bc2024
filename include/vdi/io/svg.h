/* io/svg.h - draws a figure as SVG: a vector picture for browsers, papers and pages
 *
 * Do this: see io/figure.h; then
 *     if (vdi_svg_save("figure.svg", &f, &err) < 0) puts(err.message);
 * or into a page (io/html.h) or any other stream:
 *     if (vdi_svg_write(&w, &f, false, &err) < 0) puts(err.message);
 *
 * Axes are thin and tick at 1, 2 or 5 times a power of ten; large and small numbers share one power
 * of ten at the axis' end. The legend stands above the data, never on them. Long lines keep the
 * first, least, greatest and last value of each pixel column; dense points are thinned; maps of
 * more than 2,000 cells, and rasters of more than 20,000 ticks, become a PNG of the panel's
 * resolution inside the file. So a file stays below some 200 KB a panel, whatever the data. Ids and
 * styles are not used, so that pictures can share a page.
 *
 * What it does NOT do: measure text (widths are estimated), 3-d plots, pie charts, second y axes.
 * Memory: a few rows in the figure's arena, given back. Errors: VDI_ERR_SHAPE, VDI_ERR_MEMORY,
 * VDI_ERR_IO.
 */
#ifndef VDI_IO_SVG_H
#define VDI_IO_SVG_H
#include "figure.h"
#include "figure_series.h"
#include "stream.h"

/** Draw the figure, and flush. `inside_page`: no white ground and no XML head, text in the page's
 * own colour. */
VDI_API VDI_NODISCARD vdi_status vdi_svg_write(vdi_writer *w, vdi_figure *f, bool inside_page,
                                               vdi_error *err);

#ifndef VDI_NO_STDIO
/** Draw the figure into a file of its own. */
VDI_API VDI_NODISCARD vdi_status vdi_svg_save(const char *path, vdi_figure *f, vdi_error *err);
#endif

#endif /* VDI_IO_SVG_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_SVG_C)
#define VDI_IO_SVG_C

/* ---- limits, ticks and room ---- */

/* The extent of the data, and with it the limits of the axes. */
VDI__FN void vdi__view_limits(vdi__view *v) {
    const vdi_panel *p = v->p;
    vdi__extent e = VDI__ZERO;
    e.x.log = p->x.log;
    e.y.log = p->y.log;
    e.value.log = p->value.log;
    vdi__bins_choose(p, &v->bins);
    for (const vdi_series *s = p->first; s; s = s->next)
        vdi__type_of(s)->extent(v, s, &e);
    v->shown = e.x.any || e.y.any;
    const bool tight = e.sign_x != 0 && !e.lines;
    const double beside = e.points ? 0.04 : 0, high = tight ? 0 : 0.05;
    const double low = e.upright && e.y.low >= 0 ? 0 : high;
    vdi__scale_set(&v->x, &p->x, e.x, beside, beside);
    vdi__scale_set(&v->y, &p->y, e.y, low, high);
    if (p->diverging && e.value.any) {
        const double most = VDI__MAX(fabs(e.value.low), fabs(e.value.high));
        e.value.low = -most;
        e.value.high = most;
    }
    vdi__scale_set(&v->value, &p->value, e.value, 0, 0);
    /* an inverted step turns the axis of a map around */
    if (e.sign_x < 0 && !p->x.has_limits && e.x.any) {
        v->x.low = e.x.low;
        v->x.high = e.x.high;
    }
    if (e.sign_y != 0 && tight) { /* rows run downwards */
        const double t = v->y.low;
        v->y.low = v->y.high;
        v->y.high = t;
    }
}

VDI__FN void vdi__ticks_set(vdi__ticks *t, const vdi__scale *s, double low, double high,
                            double most_log, double most, bool whole) {
    if (s->log)
        vdi__ticks_log(t, low, high, most_log);
    else
        vdi__ticks_linear(t, low, high, most, whole);
}

/* Width of the widest label. */
VDI__FN double vdi__ticks_width(const vdi__ticks *t) {
    char text[48];
    double widest = 0;
    for (int i = 0; i < t->count; i++) {
        if (!t->labelled[i]) continue;
        vdi__tick_text(t, i, text);
        widest = VDI__MAX(widest, vdi__text_width(text, VDI__TICK_FONT));
    }
    return widest;
}

/* Ticks for a plot area of this width, and the room around it. */
VDI__FN void vdi__view_room(vdi__view *v, double width) {
    const vdi_panel *p = v->p;
    const double y_low = VDI__MIN(v->y.low, v->y.high), y_high = VDI__MAX(v->y.low, v->y.high);
    const bool rows = v->y.low > v->y.high && vdi__step(p->dy) == 1;
    const bool cols = rows && vdi__step(p->dx) == 1;
    vdi__ticks_set(&v->y_ticks, &v->y, y_low, y_high, v->height / 26, v->height / 26, rows);
    vdi__ticks_set(&v->x_ticks, &v->x, v->x.low, v->x.high, width / 48, width / 70, cols);
    vdi__ticks_set(&v->value_ticks, &v->value, v->value.low, v->value.high, v->height / 26,
                   v->height / 34, false);
    v->before = 10 + (p->y.bare ? 4 : vdi__ticks_width(&v->y_ticks) + 4) +
                (p->y.label && !p->y.bare ? 18 : 0);
    v->after = 14;
    if (v->colors) {
        double widest = vdi__ticks_width(&v->value_ticks);
        if (v->value_ticks.count) widest = VDI__MAX(widest, 1);
        v->after = 10 + 10 + 8 + widest + (p->value.label ? 20 : 0) + 4;
    }
    v->below = 8 + (p->x.bare ? 2 : 16) + (p->x.label && !p->x.bare ? 17 : 0);
}

/* ---- the layout: rows and columns of panels share their margins, so that axes line up ---- */

VDI__FN const vdi_series *vdi__bars_of(const vdi_panel *p) {
    for (const vdi_series *s = p->first; s; s = s->next)
        if (s->kind == VDI_SERIES_BARS) return s;
    return NULL;
}

/* The height of the names of categories where they are too wide to stand side by side, so that they
 * are slanted; else 0. */
VDI__FN double vdi__slant(const vdi__view *v) {
    const vdi_series *bars = vdi__bars_of(v->p);
    double widest = 0;
    if (!bars || !bars->categories) return 0;
    const int64_t n = VDI__MIN(bars->y.shape[1], 1000);
    for (int64_t k = 0; k < n; k++)
        widest = VDI__MAX(widest, vdi__text_width(bars->categories[k], VDI__TICK_FONT));
    const bool wide = n > 0 && widest > v->width / (double)bars->y.shape[1] - 6;
    return wide ? VDI__MAX(0.574 * widest - 4, 0) : 0;
}

VDI__FN void vdi__layout_column(const vdi_figure *f, vdi__view *views, int c) {
    const int rows = f->desc.rows, cols = f->desc.cols;
    double before = 0, after = 0;
    for (int r = 0; r < rows; r++) {
        before = VDI__MAX(before, views[r * cols + c].before);
        after = VDI__MAX(after, views[r * cols + c].after);
    }
    for (int r = 0; r < rows; r++) {
        vdi__view *v = &views[r * cols + c];
        const double own = v->after;
        v->left = f->desc.width * c / cols + before + (c ? 12 : 0);
        v->width = VDI__MAX(f->desc.width * (c + 1) / cols - v->left - after, 30);
        vdi__view_room(v, v->width);
        v->after = VDI__MAX(own, 14);
        v->before = before;
    }
}

/* The row that begins at height y; returns where the next one begins. */
VDI__FN double vdi__layout_row(const vdi_figure *f, vdi__view *row, double y) {
    double above = 0, height = 0, below = 0;
    for (int c = 0; c < f->desc.cols; c++) {
        vdi__view *v = &row[c];
        const bool powers = v->y_ticks.power || v->value_ticks.power;
        v->legend_lines = vdi__legend(NULL, v, 0, 0, v->width);
        v->above = 6 + (v->p->title ? 20 : 0) + 17 * v->legend_lines + (v->legend_lines ? 5 : 0) +
                   (!v->legend_lines && powers ? 10 : 0);
        v->slanted = vdi__slant(v);
        above = VDI__MAX(above, v->above);
        height = VDI__MAX(height, v->height);
        below = VDI__MAX(below, v->below + v->slanted);
    }
    for (int c = 0; c < f->desc.cols; c++) {
        vdi__view *v = &row[c];
        v->top = y + above;
        v->x.origin = 0;
        v->x.length = v->width;
        v->y.origin = v->height;
        v->y.length = -v->height;
    }
    return y + above + height + below + 4;
}

/* Fills the views; returns the height of the figure. */
VDI__FN double vdi__layout(const vdi_figure *f, vdi__view *views) {
    const int rows = f->desc.rows, cols = f->desc.cols;
    double y = f->desc.title ? 30 : 6;
    for (int i = 0; i < rows * cols; i++) {
        vdi__view *v = &views[i];
        memset(v, 0, sizeof *v);
        v->p = &f->panels[i];
        v->height = v->p->height >= 10 && v->p->height < 1e4 ? v->p->height : f->desc.height;
        vdi__view_limits(v);
        vdi__view_room(v, f->desc.width / cols - 80);
    }
    for (int c = 0; c < cols; c++)
        vdi__layout_column(f, views, c);
    for (int r = 0; r < rows; r++)
        y = vdi__layout_row(f, views + r * cols, y);
    return y + 4;
}

/* ---- axes ---- */

/* The power of ten that the labels of an axis share: "x10^3". */
VDI__FN void vdi__draw_power(vdi_writer *w, const vdi__ticks *t, double x, double y,
                             const char *anchor) {
    char text[64];
    const size_t n = vdi_text_copy(text, sizeof text, "\xC3\x97");
    if (!t->power) return;
    (void)vdi__power_text(text + n, sizeof text - n, t->power);
    vdi__text_at(w, x, y, anchor, VDI__TICK_FONT, "", text);
}

/* Text that is turned about its end or middle at (x,y). */
VDI__FN void vdi__turned_text(vdi_writer *w, double x, double y, int degrees, const char *anchor,
                              double size, const char *text) {
    char turn[100], at[VDI_TEXT_NUMBER], at_y[VDI_TEXT_NUMBER];
    (void)vdi__px_text(at, x);
    (void)vdi__px_text(at_y, y);
    (void)vdi_text_format(turn, sizeof turn, " transform=\"rotate(%d %s %s)\"", degrees, at, at_y);
    vdi__text_at(w, x, y, anchor, size, turn, text);
}

VDI__FN void vdi__draw_categories(vdi_writer *w, const vdi__view *v) {
    const vdi_series *s = vdi__bars_of(v->p);
    for (int64_t k = 0; s->categories && k < s->y.shape[1]; k++) {
        const double x = v->left + vdi__to_pixel(&v->x, (double)k), y = v->top + v->height + 16;
        if (!s->categories[k]) continue;
        if (v->slanted > 0)
            vdi__turned_text(w, x + 4, y - 4, -35, "end", VDI__TICK_FONT, s->categories[k]);
        else
            vdi__text_at(w, x, y, "middle", VDI__TICK_FONT, "", s->categories[k]);
    }
}

/* The lines of the axes, with their ticks. */
VDI__FN void vdi__draw_frame(vdi_writer *w, const vdi__view *v) {
    const double bottom = v->top + v->height;
    vdi_write_text(w, "<path fill=\"none\" stroke=\"currentColor\" stroke-width=\"0.8\" d=\"");
    vdi__point(w, 'M', v->left, v->top);
    vdi__point(w, 'L', v->left, bottom);
    vdi__point(w, 'L', v->left + v->width, bottom);
    for (int i = 0; i < v->x_ticks.count && v->shown && !v->categories; i++) {
        vdi__point(w, 'M', v->left + vdi__to_pixel(&v->x, v->x_ticks.value[i]), bottom);
        vdi_write_text(w, v->x_ticks.labelled[i] ? "v4" : "v2");
    }
    for (int i = 0; i < v->y_ticks.count && v->shown; i++) {
        vdi__point(w, 'M', v->left, v->top + vdi__to_pixel(&v->y, v->y_ticks.value[i]));
        vdi_write_text(w, v->y_ticks.labelled[i] ? "h-4" : "h-2");
    }
    vdi_write_text(w, "\"/>\n");
}

VDI__FN void vdi__draw_numbers(vdi_writer *w, const vdi__view *v) {
    const bool x = v->shown && !v->p->x.bare && !v->categories, y = v->shown && !v->p->y.bare;
    const double bottom = v->top + v->height;
    const double power_y = v->y.low > v->y.high ? v->height + 22 : 0; /* rows run downwards */
    char text[64];
    for (int i = 0; i < v->x_ticks.count && x; i++) {
        vdi__tick_text(&v->x_ticks, i, text);
        if (!v->x_ticks.labelled[i]) continue;
        vdi__text_at(w, v->left + vdi__to_pixel(&v->x, v->x_ticks.value[i]), bottom + 16, "middle",
                     VDI__TICK_FONT, "", text);
    }
    for (int i = 0; i < v->y_ticks.count && y; i++) {
        vdi__tick_text(&v->y_ticks, i, text);
        if (!v->y_ticks.labelled[i]) continue;
        vdi__text_at(w, v->left - 7, v->top + vdi__to_pixel(&v->y, v->y_ticks.value[i]) + 4, "end",
                     VDI__TICK_FONT, "", text);
    }
    if (y) vdi__draw_power(w, &v->y_ticks, v->left - 7, v->top - 5 + power_y, "end");
    if (x) vdi__draw_power(w, &v->x_ticks, v->left + v->width, bottom + 30, "end");
}

VDI__FN void vdi__draw_axes(vdi_writer *w, const vdi__view *v) {
    const vdi_panel *p = v->p;
    const double x = v->left + v->width / 2, y = v->top + v->height / 2;
    vdi__draw_frame(w, v);
    if (v->categories && !p->x.bare) vdi__draw_categories(w, v);
    vdi__draw_numbers(w, v);
    if (p->x.label && !p->x.bare) {
        vdi__text_at(w, x, v->top + v->height + 33 + v->slanted, "middle", VDI__LABEL_FONT, "",
                     p->x.label);
    }
    if (p->y.label && !p->y.bare) {
        vdi__turned_text(w, v->left - v->before + 14, y, -90, "middle", VDI__LABEL_FONT,
                         p->y.label);
    }
    if (!v->shown)
        vdi__text_at(w, x, y + 4, "middle", VDI__LABEL_FONT, " opacity=\"0.5\"", "no data");
}

VDI__FN void vdi__draw_colorbar(vdi_writer *w, const vdi__view *v) {
    vdi_rgb palette[255];
    vdi_png png;
    char text[64];
    const double x = v->left + v->width + 10;
    vdi__scale scale = v->value;
    scale.origin = v->top + v->height;
    scale.length = -v->height;
    vdi__palette(v, palette);
    vdi_write_text(w, "<g transform=\"translate(");
    vdi__px(w, x);
    vdi_write(w, ",", 1);
    vdi__px(w, v->top);
    vdi_write_text(w, ")\">");
    vdi__image_begin(w, &png, 1, 255, 10, v->height, palette, false);
    for (int i = 0; i < 255; i++) {
        const uint8_t level = (uint8_t)(254 - i);
        vdi_png_row(&png, &level);
    }
    vdi__image_end(w);
    vdi_write_text(w, "</g>\n<path stroke=\"currentColor\" stroke-width=\"0.8\" d=\"");
    for (int i = 0; i < v->value_ticks.count; i++) {
        vdi__point(w, 'M', x + 10, vdi__to_pixel(&scale, v->value_ticks.value[i]));
        vdi_write_text(w, v->value_ticks.labelled[i] ? "h4" : "h2");
    }
    vdi_write_text(w, "\"/>\n");
    for (int i = 0; i < v->value_ticks.count; i++) {
        vdi__tick_text(&v->value_ticks, i, text);
        if (!v->value_ticks.labelled[i]) continue;
        vdi__text_at(w, x + 17, vdi__to_pixel(&scale, v->value_ticks.value[i]) + 4, "start",
                     VDI__TICK_FONT, "", text);
    }
    vdi__draw_power(w, &v->value_ticks, x, v->top - 5, "start");
    if (v->p->value.label) {
        vdi__turned_text(w, v->left + v->width + v->after - 6, v->top + v->height / 2, -90,
                         "middle", VDI__LABEL_FONT, v->p->value.label);
    }
}

VDI__FN void vdi__draw_panel(vdi_writer *w, vdi__view *v) {
    double top = v->top - v->above;
    if (v->p->title) {
        vdi__text_at(w, v->left, top + 14, "start", VDI__LABEL_FONT, " font-weight=\"600\"",
                     v->p->title);
        top += 20;
    }
    (void)vdi__legend(w, v, v->left, top + 2, v->width);
    if (v->shown) { /* an inner svg clips */
        vdi_write_text(w, "<svg");
        vdi__attribute(w, "x", v->left);
        vdi__attribute(w, "y", v->top);
        vdi__attribute(w, "width", v->width);
        vdi__attribute(w, "height", v->height);
        vdi_write_text(w, " overflow=\"hidden\">\n");
        vdi__draw_series(w, v);
        vdi_write_text(w, "</svg>\n");
    }
    vdi__draw_axes(w, v);
    if (v->colors && v->shown) vdi__draw_colorbar(w, v);
}

/* ---- the whole ---- */

/* What keeps the figure from being drawn. */
VDI__FN vdi_status vdi__figure_check(const vdi_figure *f, const char *file, vdi_error *err) {
    const int64_t n = f->panels ? (int64_t)f->desc.rows * f->desc.cols : 0;
    if (f->wrong_desc) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_svg_write", file, "%s", f->error.message);
    }
    if (f->wrong_panel) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_svg_write", file,
                             "a panel outside of the %d x %d was asked for", f->desc.rows,
                             f->desc.cols);
    }
    for (int64_t i = 0; i < n; i++) {
        for (const vdi_series *s = f->panels[i].first; s; s = s->next) {
            const vdi_status status = vdi__series_check(s, file, err);
            if (status < 0) return status;
        }
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_svg_write(vdi_writer *w, vdi_figure *f, bool inside_page, vdi_error *err) {
    const int64_t n = f->panels ? (int64_t)f->desc.rows * f->desc.cols : 0;
    const vdi_arena_mark mark = vdi_arena_get_mark(&f->arena);
    const vdi_status status = vdi__figure_check(f, w->name, err);
    vdi__view *views = NULL;
    if (status < 0) return status;
    if (!f->no_memory)
        views = (vdi__view *)vdi_arena_alloc(&f->arena, vdi_mul_size((size_t)n, sizeof *views));
    if (!views) {
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_svg_write", w->name,
                             "no memory for the figure");
    }
    double height = vdi__layout(f, views);
    vdi_write_text(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" "
                      "xmlns:xlink=\"http://www.w3.org/1999/xlink\" role=\"img\"");
    vdi__attribute(w, "width", f->desc.width);
    vdi__attribute(w, "height", height);
    vdi_write_text(w, " viewBox=\"0 0 ");
    vdi__px(w, f->desc.width);
    vdi_write(w, " ", 1);
    vdi__px(w, height);
    vdi_write_format(
        w, "\" font-family=\"Helvetica,Arial,'Liberation Sans',sans-serif\" font-size=\"11\" %s>\n",
        inside_page ? "fill=\"currentColor\" class=\"figure\"" : "color=\"#222\" fill=\"#222\"");
    if (f->desc.title) {
        vdi_write_text(w, "<title>");
        vdi__markup_text(w, f->desc.title);
        vdi_write_text(w, "</title>\n");
    }
    if (!inside_page) vdi_write_text(w, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
    if (f->desc.title) vdi__text_at(w, 10, 20, "start", 14, " font-weight=\"600\"", f->desc.title);
    for (int64_t i = 0; i < n; i++)
        vdi__draw_panel(w, &views[i]);
    vdi_write_text(w, "</svg>\n");
    vdi_arena_rewind(&f->arena, mark);
    return vdi_writer_flush(w, err);
}

#ifndef VDI_NO_STDIO
VDI__FN vdi_status vdi__svg_save_fn(vdi_writer *w, const void *what, int64_t count,
                                    vdi_error *err) {
    (void)count;
    return vdi_svg_write(w, *(vdi_figure *const *)what, false, err);
}

VDI__DEF vdi_status vdi_svg_save(const char *path, vdi_figure *f, vdi_error *err) {
    return vdi__save_file(path, vdi__svg_save_fn, &f, 1, err);
}
#endif
#endif
