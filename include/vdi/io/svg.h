/* io/svg.h - draws a figure as SVG: a vector picture for browsers, papers and pages
 *
 * Do this: see io/figure.h; then
 *     if (vdi_svg_save("figure.svg", &f, &err) < 0) puts(err.message);
 * or into a page (io/html.h) or any other stream:
 *     if (vdi_svg_write(&w, &f, false, &err) < 0) puts(err.message);
 *
 * Axes are thin and tick at 1, 2 or 5 times a power of ten; large and small numbers share one power
 * of ten at the axis' end. The legend stands above the data, never on them. Long lines keep first,
 * least, greatest and last of each pixel column; dense points are thinned; maps of more than 2,000
 * cells, and rasters of more than 20,000 ticks, become a PNG of the panel's resolution inside
 * the file. So a file stays below some 200 KB a panel, whatever the data. Ids and styles are not
 * used: pictures can share a page.
 *
 * Does NOT: measure text (widths are estimated), 3-d, pies, second y axes.
 * Memory: a few rows in the figure's arena, given back. Errors: VDI_ERR_SHAPE, VDI_ERR_MEMORY,
 * VDI_ERR_IO.
 */
#ifndef VDI_IO_SVG_H
#define VDI_IO_SVG_H
#include "figure.h"
#include "json.h"
#include "png.h"
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

#define VDI__TICK_FONT 11.0
#define VDI__LABEL_FONT 12.0

/* ---- words of the format ---- */

/* A coordinate in tenths of a pixel, without needless zeros. */
VDI__FN size_t vdi__px_text(char *buf, double v) {
    long long t = (long long)floor((v == v ? v : 0) * 10 + 0.5);
    long long whole = (t < 0 ? -t : t) / 10;
    long long rest = (t < 0 ? -t : t) % 10;
    return vdi_text_format(buf, VDI_TEXT_NUMBER, rest ? "%s%lld.%lld" : "%s%lld", t < 0 ? "-" : "",
                           whole, rest);
}

VDI__FN void vdi__px(vdi_writer *w, double v) {
    char buf[VDI_TEXT_NUMBER];
    vdi_write(w, buf, vdi__px_text(buf, v));
}

/* ' name="value"' */
VDI__FN void vdi__attribute(vdi_writer *w, const char *name, double v) {
    vdi_write(w, " ", 1);
    vdi_write_text(w, name);
    vdi_write(w, "=\"", 2);
    vdi__px(w, v);
    vdi_write(w, "\"", 1);
}

/* May the character of `length` bytes at `text` stand in XML 1.0? Controls and U+FFFE, U+FFFF may
 * not. */
VDI__FN bool vdi__markup_may(const char *text, size_t length) {
    const unsigned char c = (unsigned char)*text;
    if (length == 0) return false;
    if (length == 1) return (c >= 32 && c != 127) || c == '\n' || c == '\t';
    return memcmp(text, "\xEF\xBF\xBE", 3) != 0 && memcmp(text, "\xEF\xBF\xBF", 3) != 0;
}

/* Text of a figure or page: markup escaped, control characters and broken UTF-8 replaced. Whatever
 * it holds, it ends no element, no attribute in double quotes and no page. */
VDI__FN void vdi__markup_text(vdi_writer *w, const char *text) {
    const size_t n = strlen(text);
    for (size_t i = 0, length; i < n; i += VDI__MAX(length, (size_t)1)) {
        length = vdi__utf8_length(text + i, n - i);
        if (!vdi__markup_may(text + i, length))
            vdi_write_text(w, VDI__UTF8_REPLACEMENT);
        else if (text[i] == '&')
            vdi_write_text(w, "&amp;");
        else if (text[i] == '<')
            vdi_write_text(w, "&lt;");
        else if (text[i] == '>')
            vdi_write_text(w, "&gt;");
        else if (text[i] == '"')
            vdi_write_text(w, "&quot;");
        else
            vdi_write(w, text + i, length);
    }
}

/* Estimated width of text in pixels, in a sans-serif face. */
VDI__FN double vdi__text_width(const char *text, double size) {
    double w = 0;
    for (const char *p = text ? text : ""; *p; p++) {
        if ((*p & 0xC0) == 0x80) continue;
        w += strchr("iljt.,:;'|!()[] ", *p) ? 0.31
             : strchr("mwMW@%", *p)         ? 0.86
             : *p >= 'A' && *p <= 'Z'       ? 0.68
                                            : 0.56;
    }
    return w * size;
}

VDI__FN void vdi__text_at(vdi_writer *w, double x, double y, const char *anchor, double size,
                          const char *more, const char *text) {
    vdi_write_text(w, "<text");
    vdi__attribute(w, "x", x);
    vdi__attribute(w, "y", y);
    if (*anchor != 's') vdi_write_format(w, " text-anchor=\"%s\"", anchor);
    if (size != VDI__TICK_FONT) vdi__attribute(w, "font-size", size);
    vdi_write_format(w, "%s>", more);
    vdi__markup_text(w, text);
    vdi_write_text(w, "</text>\n");
}

VDI__FN void vdi__point(vdi_writer *w, char command, double x, double y) {
    char buf[2 * VDI_TEXT_NUMBER + 4];
    size_t n = 0;
    buf[n++] = command;
    n += vdi__px_text(buf + n, x);
    buf[n++] = ' ';
    n += vdi__px_text(buf + n, y);
    vdi_write(w, buf, n);
}

VDI__FN const char *vdi__color_text(const vdi_series *s, int index, char buf[24]) {
    int c = s->color != VDI_COLOR_AUTO ? (int)s->color - 1 : index;
    if (s->color == VDI_COLOR_INK) return "currentColor";
    if (s->color == VDI_COLOR_GREY) return "#888";
    vdi_rgb rgb = vdi_color_category(c);
    /* in this form a page's style can lighten them on a dark ground */
    static const char digit[] = "0123456789abcdef";
    const uint8_t part[3] = {rgb.r, rgb.g, rgb.b};
    buf[0] = '#';
    buf[7] = 0;
    for (int i = 0; i < 3; i++) {
        buf[1 + 2 * i] = digit[part[i] >> 4];
        buf[2 + 2 * i] = digit[part[i] & 15];
    }
    return buf;
}

/* A picture of cols x rows cells over the rectangle (0,0)-(width,height); its rows follow, then
 * vdi__image_end. */
VDI__FN void vdi__image_begin(vdi_writer *w, vdi_png *png, int cols, int rows, double width,
                              double height, const vdi_rgb palette[255], bool sharp) {
    vdi_write_text(w, "<image");
    vdi__attribute(w, "width", width);
    vdi__attribute(w, "height", height);
    vdi_write_format(w, " preserveAspectRatio=\"none\"%s xlink:href=\"data:image/png;base64,",
                     sharp ? " style=\"image-rendering:pixelated\"" : "");
    vdi_png_begin(png, w, cols, rows, palette, true);
}

VDI__FN void vdi__image_end(vdi_writer *w) { vdi_write_text(w, "\"/>\n"); }

/* ---- a panel on its way to the paper ---- */

typedef struct vdi__view {
    const vdi_panel *p;
    vdi__scale x, y, value;
    vdi__ticks x_ticks, y_ticks, value_ticks;
    vdi__bins bins;
    double left, top, width, height;    /* the plot area */
    double above, below, before, after; /* room for titles, labels and numbers */
    double label_turn;                  /* category labels are slanted: their height */
    int legend_lines;
    bool has_map, pale, categories, shown; /* has_map: there is a scale of colours; pale: from that
                                              of a map */
} vdi__view;

VDI__FN bool vdi__colored(const vdi_series *s) {
    return s->by.data && (s->kind == VDI_SERIES_LINE || s->kind == VDI_SERIES_SCATTER);
}

/* The panel's scale of colours. That of a map begins near white; thin lines and points, on white or
 * black, need more contrast. */
VDI__FN void vdi__palette(const vdi__view *v, vdi_rgb palette[255]) {
    for (int i = 0; i < 255; i++) {
        palette[i] = v->p->diverging ? vdi_color_diverging((i - 127) / 127.0)
                     : v->pale
                         ? vdi_color_sequential(i / 254.0)
                         : vdi_color_oklch(0.80 - 0.36 * i / 254, 0.15, 110 + 200.0 * i / 254);
    }
}

VDI__FN double vdi__y_at(const vdi_panel *p, double row) { return p->y0 + row * vdi__step(p->dy); }

/* What the series of a panel cover, and what of them decides about the margins. */
typedef struct vdi__extent {
    vdi__range x, y, value;
    bool lines, upright, points; /* upright: bars, which stand on 0 */
    double sign_x, sign_y;       /* of the steps of a map, where there is one */
} vdi__extent;

VDI__FN void vdi__extent_curve(const vdi_panel *p, const vdi_series *s, vdi__extent *e) {
    for (int64_t i = 0; i < s->y.shape[0]; i++) {
        double at = vdi__x_at(p, s, i);
        double a = vdi__at(s->y, i);
        double b = s->kind == VDI_SERIES_BAND ? vdi__at(s->z, i) : a;
        vdi__range_take(&e->x, at);
        /* the y axis serves what is seen */
        if (p->x.has_limits && !(at >= p->x.low && at <= p->x.high)) continue;
        vdi__range_take(&e->y, a);
        vdi__range_take(&e->y, b);
        e->lines = true;
    }
}

/* A raster or a heat map. */
VDI__FN void vdi__extent_map(const vdi_panel *p, const vdi_series *s, vdi__extent *e) {
    double half_x = 0.5 * vdi__step(p->dx), half_y = 0.5 * vdi__step(p->dy);
    if (!vdi_tensor_count(s->y)) return;
    vdi__range_take(&e->x, p->x0 - half_x);
    vdi__range_take(&e->x, p->x0 + (double)(s->y.shape[1] - 1) * vdi__step(p->dx) + half_x);
    vdi__range_take(&e->y, p->y0 - half_y);
    vdi__range_take(&e->y, vdi__y_at(p, (double)(s->y.shape[0] - 1)) + half_y);
    e->sign_x = half_x;
    e->sign_y = half_y;
    if (s->kind != VDI_SERIES_HEATMAP) return;
    for (int64_t i = 0; i < s->y.shape[0]; i++) {
        for (int64_t k = 0; k < s->y.shape[1]; k++)
            vdi__range_take(&e->value, vdi__at2(s->y, i, k));
    }
}

VDI__FN void vdi__extent_bars(const vdi_series *s, vdi__extent *e) {
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

/* A histogram; counts its bins. */
VDI__FN void vdi__extent_histogram(const vdi_series *s, vdi__bins *bins, vdi__extent *e) {
    e->upright = true;
    vdi__range_take(&e->x, bins->low);
    vdi__range_take(&e->x, bins->low + bins->count * bins->width);
    vdi__range_take(&e->y, 0);
    vdi__bins_fill(s, bins);
    for (int i = 0; i < bins->count; i++)
        vdi__range_take(&e->y, (double)bins->hits[i]);
}

VDI__FN void vdi__extent_series(vdi__view *v, const vdi_series *s, vdi__extent *e) {
    const vdi_panel *p = v->p;
    if (s->kind <= VDI_SERIES_SCATTER) vdi__extent_curve(p, s, e);
    if (vdi__colored(s)) {
        v->has_map = true;
        for (int64_t i = 0; i < s->by.shape[0]; i++)
            vdi__range_take(&e->value, vdi__at(s->by, i));
    }
    switch (s->kind) {
    case VDI_SERIES_SCATTER: e->points = true; break;
    case VDI_SERIES_RASTER: vdi__extent_map(p, s, e); break;
    case VDI_SERIES_HEATMAP:
        vdi__extent_map(p, s, e);
        v->has_map = v->pale = true;
        break;
    case VDI_SERIES_BARS:
        v->categories = true;
        vdi__extent_bars(s, e);
        break;
    case VDI_SERIES_HISTOGRAM: vdi__extent_histogram(s, &v->bins, e); break;
    case VDI_SERIES_RULE: vdi__range_take(s->axis == 'x' ? &e->x : &e->y, s->at); break;
    default: break;
    }
    v->shown = true;
}

/* The extent of the data, and with it the limits of the axes. */
VDI__FN void vdi__view_limits(vdi__view *v) {
    const vdi_panel *p = v->p;
    vdi__extent e = VDI__ZERO;
    e.x.log = p->x.log;
    e.y.log = p->y.log;
    e.value.log = p->value.log;
    vdi__bins_choose(p, &v->bins);
    for (const vdi_series *s = p->first; s; s = s->next)
        vdi__extent_series(v, s, &e);
    v->shown = v->shown && (e.x.any || e.y.any);
    bool tight = e.sign_x != 0 && !e.lines;
    double beside = e.points ? 0.04 : 0, high = tight ? 0 : 0.05;
    double low = e.upright && e.y.low >= 0 ? 0 : high;
    vdi__scale_set(&v->x, &p->x, e.x, beside, beside);
    vdi__scale_set(&v->y, &p->y, e.y, low, high);
    if (p->diverging && e.value.any) {
        double most = VDI__MAX(fabs(e.value.low), fabs(e.value.high));
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
        double t = v->y.low;
        v->y.low = v->y.high;
        v->y.high = t;
    }
}

/* Ticks for a plot area of this size, and the room around it. */
VDI__FN void vdi__view_room(vdi__view *v, double width) {
    const vdi_panel *p = v->p;
    char text[48];
    double widest = 0;
    double y_low = VDI__MIN(v->y.low, v->y.high);
    double y_high = VDI__MAX(v->y.low, v->y.high);
    bool rows = v->y.low > v->y.high && vdi__step(p->dy) == 1;
    if (v->y.log)
        vdi__ticks_log(&v->y_ticks, y_low, y_high, v->height / 26);
    else
        vdi__ticks_linear(&v->y_ticks, y_low, y_high, v->height / 26, rows);
    if (v->x.log) {
        vdi__ticks_log(&v->x_ticks, v->x.low, v->x.high, width / 48);
    } else {
        vdi__ticks_linear(&v->x_ticks, v->x.low, v->x.high, width / 70,
                          rows && vdi__step(p->dx) == 1);
    }
    if (v->value.log)
        vdi__ticks_log(&v->value_ticks, v->value.low, v->value.high, v->height / 26);
    else
        vdi__ticks_linear(&v->value_ticks, v->value.low, v->value.high, v->height / 34, false);
    for (int i = 0; i < v->y_ticks.count; i++) {
        vdi__tick_text(&v->y_ticks, i, text);
        if (v->y_ticks.labelled[i])
            widest = VDI__MAX(widest, vdi__text_width(text, VDI__TICK_FONT));
    }
    v->before = 10 + (p->y.bare ? 4 : widest + 4) + (p->y.label && !p->y.bare ? 18 : 0);
    v->after = 14;
    if (v->has_map) {
        for (widest = 0; v->value_ticks.count && widest == 0; widest = VDI__MAX(widest, 1)) {
            for (int i = 0; i < v->value_ticks.count; i++) {
                vdi__tick_text(&v->value_ticks, i, text);
                if (v->value_ticks.labelled[i])
                    widest = VDI__MAX(widest, vdi__text_width(text, VDI__TICK_FONT));
            }
        }
        v->after = 10 + 10 + 8 + widest + (p->value.label ? 20 : 0) + 4;
    }
    v->below = 8 + (p->x.bare ? 2 : 16) + (p->x.label && !p->x.bare ? 17 : 0);
}

/* A walk over the entries of the legend: with `w` it draws them; returns the lines they take in
 * `width`. */
VDI__FN int vdi__legend(vdi_writer *w, const vdi__view *v, double left, double top, double width) {
    double x = 0;
    int line = 0, color = 0, entries = 0;
    char buf[24];
    for (const vdi_series *s = v->p->first; s; s = s->next) {
        int64_t items = s->kind == VDI_SERIES_BARS ? (s->groups ? s->y.shape[0] : 0)
                        : s->name                  ? 1
                                                   : 0;
        bool own = s->kind == VDI_SERIES_LINE || s->kind == VDI_SERIES_SCATTER ||
                   s->kind == VDI_SERIES_HISTOGRAM;
        int first = s->kind == VDI_SERIES_BAND && color ? color - 1 : color;
        for (int64_t i = 0; i < items; i++) {
            const char *name = s->kind == VDI_SERIES_BARS ? s->groups[i] : s->name;
            if (!name) continue;
            double need = 24 + vdi__text_width(name, VDI__TICK_FONT) + 14;
            if (x > 0 && x + need > width + 14) {
                x = 0;
                line++;
            }
            if (w) {
                double at = left + x, mid = top + 17 * line + 8;
                const char *ink = s->kind == VDI_SERIES_RULE && s->color == VDI_COLOR_AUTO
                                      ? "#888"
                                      : vdi__color_text(s, first + (int)i, buf);
                if (s->kind == VDI_SERIES_LINE || s->kind == VDI_SERIES_RULE) {
                    vdi_write_format(
                        w, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\"%s d=\"", ink,
                        VDI__MIN(VDI__MAX(s->width > 0 ? s->width : 1.6, 1), 4),
                        s->dashed || s->kind == VDI_SERIES_RULE ? " stroke-dasharray=\"5 3\"" : "");
                    vdi__point(w, 'M', at, mid);
                    vdi_write_text(w, "h18\"/>\n");
                } else if (s->kind == VDI_SERIES_SCATTER) {
                    vdi_write_text(w, "<circle r=\"2.5\"");
                    vdi__attribute(w, "cx", at + 9);
                    vdi__attribute(w, "cy", mid);
                    vdi_write_format(w, " fill=\"%s\"/>\n", ink);
                } else {
                    vdi_write_text(w, "<rect width=\"18\" height=\"9\"");
                    vdi__attribute(w, "x", at);
                    vdi__attribute(w, "y", mid - 4.5);
                    vdi_write_format(w, " fill=\"%s\" opacity=\"%s\"/>\n", ink,
                                     s->kind == VDI_SERIES_BAND   ? "0.22"
                                     : s->kind == VDI_SERIES_BARS ? "0.9"
                                                                  : "0.55");
                }
                vdi__text_at(w, at + 24, mid + 4, "start", VDI__TICK_FONT, "", name);
            }
            x += need;
            entries++;
        }
        if (s->color == VDI_COLOR_AUTO)
            color += s->kind == VDI_SERIES_BARS ? (int)VDI__MIN(s->y.shape[0], 1000) : own;
    }
    return entries ? line + 1 : 0;
}

/* ---- the kinds of series; coordinates are inside the plot area ---- */

/* A polyline that is thinned to first, least, greatest and last of each pixel column where x
 * rises. */
typedef struct vdi__pen {
    vdi_writer *w;
    bool down, thin;
    double column, x[4], y[4]; /* first, least, greatest, last of the column */
    int64_t index[4], held;
    double last_x, last_y;
    bool single; /* one point since the pen went down */
} vdi__pen;

VDI__FN void vdi__pen_point(vdi__pen *p, double x, double y) {
    vdi__point(p->w, p->down ? 'L' : 'M', x, y);
    p->single = !p->down;
    p->down = true;
    p->last_x = x;
    p->last_y = y;
}

VDI__FN void vdi__pen_flush(vdi__pen *p) {
    if (!p->held) return;
    int order[4] = {0, 1, 2, 3};
    if (p->index[2] < p->index[1]) {
        order[1] = 2;
        order[2] = 1;
    }
    for (int i = 0; i < 4; i++) {
        if (i == 0 || p->index[order[i]] != p->index[order[i - 1]])
            vdi__pen_point(p, p->x[order[i]], p->y[order[i]]);
    }
    p->held = 0;
}

/* End of a stretch; a lone point becomes a dot. */
VDI__FN void vdi__pen_up(vdi__pen *p) {
    vdi__pen_flush(p);
    if (p->down && p->single) vdi_write_text(p->w, "h.01");
    p->down = false;
}

VDI__FN void vdi__pen_to(vdi__pen *p, int64_t i, double x, double y) {
    if (!(x == x && y == y)) {
        vdi__pen_up(p);
        return;
    }
    if (!p->thin) { /* skip what moves less than a third of a pixel */
        if (!p->down || fabs(x - p->last_x) + fabs(y - p->last_y) >= 0.3) vdi__pen_point(p, x, y);
        return;
    }
    if (p->held && floor(x) != p->column) vdi__pen_flush(p);
    if (!p->held) {
        p->column = floor(x);
        for (int k = 0; k < 4; k++) {
            p->x[k] = x;
            p->y[k] = y;
            p->index[k] = i;
        }
    }
    if (y < p->y[1]) {
        p->x[1] = x;
        p->y[1] = y;
        p->index[1] = i;
    }
    if (y > p->y[2]) {
        p->x[2] = x;
        p->y[2] = y;
        p->index[2] = i;
    }
    p->x[3] = x;
    p->y[3] = y;
    p->index[3] = i;
    p->held++;
}

VDI__FN bool vdi__rising(const vdi_panel *p, const vdi_series *s) {
    for (int64_t i = 1; s->x.data && i < s->x.shape[0]; i++)
        if (!(vdi__x_at(p, s, i) >= vdi__x_at(p, s, i - 1))) return false;
    return vdi__step(p->dx) > 0 || s->x.data;
}

/* Lines and points with values: a path for each stretch of one colour; 64 colours are as many as an
 * eye tells apart in a thin line. */
VDI__FN void vdi__draw_colored(vdi_writer *w, const vdi__view *v, const vdi_series *s) {
    vdi_rgb palette[255];
    vdi__scale value = v->value;
    bool line = s->kind == VDI_SERIES_LINE;
    int64_t n = s->y.shape[0];
    int open = -1;
    double last_x = (double)NAN, last_y = (double)NAN;
    value.origin = 0;
    value.length = 1;
    vdi__palette(v, palette);
    vdi_write_format(w,
                     "<g fill=\"none\" stroke-width=\"%g\" stroke-linejoin=\"round\" "
                     "stroke-linecap=\"round\" opacity=\"%g\">\n",
                     s->width > 0 ? s->width
                     : line       ? 1.4
                     : n > 300    ? 3
                                  : 4.5,
                     s->opacity > 0 ? s->opacity : 1);
    for (int64_t i = 0; i < n; i++) {
        double x = vdi__to_pixel(&v->x, vdi__x_at(v->p, s, i));
        double y = vdi__to_pixel(&v->y, vdi__at(s->y, i));
        double level = vdi__to_pixel(&value, vdi__at(s->by, i));
        int c = level == level ? 4 * (int)(0.5 + 63 * VDI__MIN(VDI__MAX(level, 0), 1)) : -1;
        if (x == x && y == y && c >= 0 && (!line || last_x == last_x)) {
            if (c != open) {
                vdi_write_format(w,
                                 open >= 0 ? "\"/>\n<path stroke=\"rgb(%d,%d,%d)\" d=\""
                                           : "<path stroke=\"rgb(%d,%d,%d)\" d=\"",
                                 palette[VDI__MIN(c, 254)].r, palette[VDI__MIN(c, 254)].g,
                                 palette[VDI__MIN(c, 254)].b);
                if (line) vdi__point(w, 'M', last_x, last_y);
            }
            vdi__point(w, line ? 'L' : 'M', x, y);
            if (!line) vdi_write_text(w, "h.01");
            open = c;
        } else if (line && open >= 0) {
            vdi_write_text(w, "\"/>\n"); /* a gap */
            open = -1;
        }
        last_x = x;
        last_y = y;
        if (!(y == y)) last_x = y;
    }
    vdi_write_text(w, open >= 0 ? "\"/>\n</g>\n" : "</g>\n");
}

VDI__FN void vdi__draw_line(vdi_writer *w, const vdi__view *v, const vdi_series *s,
                            const char *ink) {
    vdi__pen pen = VDI__ZERO;
    double width = s->width > 0 ? s->width : 1.4;
    pen.w = w;
    pen.thin = (double)s->y.shape[0] > 3 * v->width && vdi__rising(v->p, s);
    vdi_write_format(w,
                     "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" "
                     "stroke-linejoin=\"round\" stroke-linecap=\"round\" opacity=\"%g\"%s d=\"",
                     ink, width, s->opacity > 0 ? s->opacity : 1,
                     s->dashed ? " stroke-dasharray=\"5 4\"" : "");
    for (int64_t i = 0; i < s->y.shape[0]; i++) {
        vdi__pen_to(&pen, i, vdi__to_pixel(&v->x, vdi__x_at(v->p, s, i)),
                    vdi__to_pixel(&v->y, vdi__at(s->y, i)));
    }
    vdi__pen_up(&pen);
    vdi_write_text(w, "\"/>\n");
}

/* One edge of a band over samples [from, to), forwards or back; of a pixel column only its
 * outermost value. */
VDI__FN void vdi__draw_edge(vdi_writer *w, const vdi__view *v, const vdi_series *s, int64_t from,
                            int64_t to, bool back) {
    double column = 0, best_x = 0, best_y = 0;
    bool held = false, thin = (double)s->y.shape[0] > 2 * v->width, start = !back;
    for (int64_t n = 0; n < to - from; n++) {
        int64_t i = back ? to - 1 - n : from + n;
        double x = vdi__to_pixel(&v->x, vdi__x_at(v->p, s, i));
        double a = vdi__to_pixel(&v->y, vdi__at(s->y, i));
        double b = vdi__to_pixel(&v->y, vdi__at(s->z, i));
        double y = back ? VDI__MAX(a, b) : VDI__MIN(a, b);
        if (held && (!thin || floor(x) != column)) {
            vdi__point(w, start ? 'M' : 'L', best_x, best_y);
            start = held = false;
        }
        if (!held || (back ? y > best_y : y < best_y)) {
            best_x = x;
            best_y = y;
        }
        column = floor(x);
        held = true;
    }
    if (held) vdi__point(w, start ? 'M' : 'L', best_x, best_y);
}

VDI__FN bool vdi__band_there(const vdi__view *v, const vdi_series *s, int64_t i) {
    double x = vdi__to_pixel(&v->x, vdi__x_at(v->p, s, i));
    double a = vdi__to_pixel(&v->y, vdi__at(s->y, i));
    double b = vdi__to_pixel(&v->y, vdi__at(s->z, i));
    return x == x && a == a && b == b;
}

VDI__FN void vdi__draw_band(vdi_writer *w, const vdi__view *v, const vdi_series *s,
                            const char *ink) {
    vdi_write_format(w, "<path fill=\"%s\" opacity=\"%g\" d=\"", ink,
                     s->opacity > 0 ? s->opacity : 0.22);
    for (int64_t i = 0, end; i < s->y.shape[0]; i = end + 1) { /* stretches without gaps */
        for (end = i; end < s->y.shape[0] && vdi__band_there(v, s, end);)
            end++;
        if (end == i) continue;
        vdi__draw_edge(w, v, s, i, end, false);
        vdi__draw_edge(w, v, s, i, end, true);
        vdi_write(w, "Z", 1);
    }
    vdi_write_text(w, "\"/>\n");
}

/* Is this half-pixel cell new? Dense clouds of points are drawn once per cell. */
VDI__FN bool vdi__cell_take(uint8_t *seen, int64_t cols, int64_t rows, double x, double y) {
    int64_t i = (int64_t)floor(2 * x), k = (int64_t)floor(2 * y);
    if (i < 0 || k < 0 || i >= cols || k >= rows) return false;
    uint8_t bit = (uint8_t)(1u << (i & 7)), *cell = &seen[k * (cols / 8 + 1) + i / 8];
    bool is_new = !(*cell & bit);
    *cell = (uint8_t)(*cell | bit);
    return is_new;
}

VDI__FN void vdi__draw_scatter(vdi_writer *w, const vdi__view *v, const vdi_series *s,
                               const char *ink) {
    vdi_arena *arena = &v->p->figure->arena;
    vdi_arena_mark mark = vdi_arena_get_mark(arena);
    int64_t n = s->y.shape[0];
    int64_t cols = (int64_t)(2 * v->width) + 2;
    int64_t rows = (int64_t)(2 * v->height) + 2;
    uint8_t *seen = n > 2000 ? (uint8_t *)vdi_arena_calloc(arena, (size_t)((cols / 8 + 1) * rows))
                             : NULL; /* none: every point is drawn */
    double size = s->width > 0 ? s->width : n > 300 ? 3 : 4.5;
    vdi_write_format(w,
                     "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" "
                     "stroke-linecap=\"round\" opacity=\"%g\" d=\"",
                     ink, size,
                     s->opacity > 0 ? s->opacity
                     : n > 300      ? 0.5
                                    : 0.75);
    for (int64_t i = 0; i < n; i++) {
        double x = vdi__to_pixel(&v->x, vdi__x_at(v->p, s, i));
        double y = vdi__to_pixel(&v->y, vdi__at(s->y, i));
        if (!(x == x && y == y) || (seen && !vdi__cell_take(seen, cols, rows, x, y))) continue;
        vdi__point(w, 'M', x, y);
        vdi_write_text(w, "h.01");
    }
    vdi_write_text(w, "\"/>\n");
    vdi_arena_rewind(arena, mark);
}

/* A map as an image of at most the panel's pixels: the mean of the cells under each; `value` NULL:
 * the share of cells that are not 0. */
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
        for (int c = 0; c < cols; c++) {
            double sum = 0, count = 0;
            for (int64_t i = h * r / rows; i < h * (r + 1) / rows; i++) {
                for (int64_t k = n * c / cols; k < n * (c + 1) / cols; k++) {
                    double a = vdi__at2(s->y, i, k);
                    if (value)
                        a = vdi__to_pixel(value, a);
                    else
                        a = a > 0 || a < 0;
                    if (a == a) {
                        sum += a;
                        count++;
                    }
                }
            }
            double level = count > 0 ? sum / count : 0;
            if (!value) level = sqrt(level); /* a single spike in a wide cell still shows */
            row[c] = (uint8_t)(count > 0 && (value || sum > 0)
                                   ? 0.5 + 254 * VDI__MIN(VDI__MAX(level, 0), 1)
                                   : 255);
        }
        vdi_png_row(&png, row);
    }
    vdi__image_end(w);
    vdi_write_text(w, "</g>\n");
}

VDI__FN void vdi__draw_heatmap(vdi_writer *w, const vdi__view *v, const vdi_series *s) {
    vdi_rgb palette[255];
    int64_t h = s->y.shape[0], n = s->y.shape[1];
    vdi__scale value = v->value;
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
            double level = vdi__to_pixel(&value, vdi__at2(s->y, i, k));
            double dx = 0.5 * vdi__step(v->p->dx);
            double at = v->p->x0 + (double)k * 2 * dx;
            double xa = vdi__to_pixel(&v->x, at - dx), xb = vdi__to_pixel(&v->x, at + dx);
            double ya = vdi__to_pixel(&v->y, vdi__y_at(v->p, (double)i - 0.5));
            double yb = vdi__to_pixel(&v->y, vdi__y_at(v->p, (double)i + 0.5));
            if (level != level) continue;
            vdi_rgb c = palette[(int)(0.5 + 254 * VDI__MIN(VDI__MAX(level, 0), 1))];
            vdi_write_text(w, "<rect");
            vdi__attribute(w, "x", VDI__MIN(xa, xb));
            vdi__attribute(w, "y", VDI__MIN(ya, yb));
            vdi__attribute(w, "width", fabs(xb - xa));
            vdi__attribute(w, "height", fabs(yb - ya));
            vdi_write_format(w, " fill=\"rgb(%d,%d,%d)\"/>\n", c.r, c.g, c.b);
        }
    }
    vdi_write_text(w, "</g>\n");
}

VDI__FN void vdi__draw_raster(vdi_writer *w, const vdi__view *v, const vdi_series *s) {
    int64_t h = s->y.shape[0], n = s->y.shape[1], ticks = 0;
    double tall =
        fabs(vdi__to_pixel(&v->y, vdi__y_at(v->p, 1)) - vdi__to_pixel(&v->y, vdi__y_at(v->p, 0)));
    char buf[24];
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
    double length = VDI__MAX(0.75 * tall, VDI__MIN(tall, 1)), last;
    vdi_write_format(w, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" opacity=\"%g\" d=\"",
                     s->color ? vdi__color_text(s, 0, buf) : "currentColor",
                     s->width > 0 ? s->width : 1.0, s->opacity > 0 ? s->opacity : 0.85);
    for (int64_t i = 0; i < h; i++) {
        double y = vdi__to_pixel(&v->y, vdi__y_at(v->p, (double)i)) - length / 2;
        last = -1e9;
        for (int64_t k = 0; k < n; k++) {
            double a = vdi__at2(s->y, i, k);
            double x = vdi__to_pixel(&v->x, v->p->x0 + (double)k * vdi__step(v->p->dx));
            /* two ticks in one place look like one */
            if (!(a > 0 || a < 0) || fabs(x - last) < 0.4) continue;
            vdi__point(w, 'M', x, y);
            vdi_write(w, "v", 1);
            vdi__px(w, length);
            last = x;
        }
    }
    vdi_write_text(w, "\"/>\n");
}

VDI__FN void vdi__draw_bars(vdi_writer *w, const vdi__view *v, const vdi_series *s, int color) {
    char buf[24];
    int64_t groups = s->y.shape[0], n = s->y.shape[1];
    double slot = 0.76 / (double)VDI__MAX(groups, 1);
    double base = vdi__to_pixel(&v->y, v->y.log ? pow(10, v->y.low)
                                                : VDI__MAX(v->y.low, VDI__MIN(0, v->y.high)));
    for (int64_t g = 0; g < groups; g++) {
        vdi_write_format(w, "<path fill=\"%s\" opacity=\"%g\" d=\"",
                         vdi__color_text(s, color + (int)(g % VDI_COLOR_CATEGORIES), buf),
                         s->opacity > 0 ? s->opacity : 0.9);
        for (int64_t k = 0; k < n; k++) {
            double at = (double)k - 0.38 + (double)g * slot;
            double top = vdi__to_pixel(&v->y, vdi__at2(s->y, g, k));
            double a = vdi__to_pixel(&v->x, at);
            double b = vdi__to_pixel(&v->x, at + slot * (groups > 1 ? 0.94 : 1));
            if (top != top) continue;
            vdi__point(w, 'M', a, base);
            vdi__point(w, 'L', a, top);
            vdi__point(w, 'L', b, top);
            vdi__point(w, 'L', b, base);
            vdi_write(w, "Z", 1);
        }
        vdi_write_text(w, "\"/>\n");
        if (g == groups - 1 && v->y.low < 0 && v->y.high > 0 && !v->y.log) {
            /* where the bars stand, if not on the axis */
            vdi_write_text(w, "<path stroke=\"currentColor\" stroke-width=\"0.8\" d=\"");
            vdi__point(w, 'M', 0, base);
            vdi__point(w, 'L', v->width, base);
            vdi_write_text(w, "\"/>\n");
        }
        if (!s->z.data) continue;
        vdi_write_text(w, "<path fill=\"none\" stroke=\"currentColor\" stroke-width=\"1\" d=\"");
        for (int64_t k = 0; k < n; k++) {
            double value = vdi__at2(s->y, g, k);
            double e = vdi__at2(s->z, g, k);
            double x = vdi__to_pixel(&v->x, (double)k - 0.38 + ((double)g + 0.47) * slot);
            double a = vdi__to_pixel(&v->y, value - e), b = vdi__to_pixel(&v->y, value + e);
            if (a != a || b != b) continue;
            vdi__point(w, 'M', x, a);
            vdi__point(w, 'L', x, b);
        }
        vdi_write_text(w, "\"/>\n");
    }
}

VDI__FN void vdi__draw_histogram(vdi_writer *w, vdi__view *v, const vdi_series *s,
                                 const char *ink) {
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

VDI__FN void vdi__draw_rule(vdi_writer *w, const vdi__view *v, const vdi_series *s) {
    char buf[24];
    bool upright = s->axis == 'x';
    double at = vdi__to_pixel(upright ? &v->x : &v->y, s->at);
    if (at != at) return;
    vdi_write_format(
        w, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" stroke-dasharray=\"5 3\" d=\"",
        s->color ? vdi__color_text(s, 0, buf) : "#888", s->width > 0 ? s->width : 1.0);
    vdi__point(w, 'M', upright ? at : 0, upright ? 0 : at);
    vdi__point(w, 'L', upright ? at : v->width, upright ? v->height : at);
    vdi_write_text(w, "\"/>\n");
}

/* All series: bands and maps first, then the rest, in the order given. */
VDI__FN void vdi__draw_series(vdi_writer *w, vdi__view *v) {
    char buf[24];
    for (int layer = 0; layer < 2; layer++) {
        int color = 0;
        for (const vdi_series *s = v->p->first; s; s = s->next) {
            bool back = s->kind == VDI_SERIES_BAND || s->kind == VDI_SERIES_HEATMAP ||
                        s->kind == VDI_SERIES_HISTOGRAM;
            int index = s->kind == VDI_SERIES_BAND && color ? color - 1 : color;
            const char *ink = vdi__color_text(s, index, buf);
            bool turn = back == (layer == 0);
            switch (s->kind) {
            case VDI_SERIES_LINE:
                if (turn && vdi__colored(s))
                    vdi__draw_colored(w, v, s);
                else if (turn)
                    vdi__draw_line(w, v, s, ink);
                break;
            case VDI_SERIES_BAND:
                if (turn) vdi__draw_band(w, v, s, ink);
                break;
            case VDI_SERIES_SCATTER:
                if (turn && vdi__colored(s))
                    vdi__draw_colored(w, v, s);
                else if (turn)
                    vdi__draw_scatter(w, v, s, ink);
                break;
            case VDI_SERIES_RASTER:
                if (turn && vdi_tensor_count(s->y)) vdi__draw_raster(w, v, s);
                break;
            case VDI_SERIES_HEATMAP:
                if (turn && vdi_tensor_count(s->y)) vdi__draw_heatmap(w, v, s);
                break;
            case VDI_SERIES_BARS:
                if (turn) vdi__draw_bars(w, v, s, color);
                break;
            case VDI_SERIES_HISTOGRAM:
                if (turn) vdi__draw_histogram(w, v, s, ink);
                break;
            case VDI_SERIES_RULE:
                if (turn) vdi__draw_rule(w, v, s);
                break;
            }
            bool own = s->kind == VDI_SERIES_LINE || s->kind == VDI_SERIES_SCATTER ||
                       s->kind == VDI_SERIES_HISTOGRAM;
            if (s->color == VDI_COLOR_AUTO)
                color += s->kind == VDI_SERIES_BARS ? (int)VDI__MIN(s->y.shape[0], 1000) : own;
        }
    }
}

/* ---- axes ---- */

/* The power of ten that the labels of an axis share: "x10^3". */
VDI__FN void vdi__power_label(const vdi__ticks *t, char *buf, size_t cap) {
    size_t n = vdi_text_copy(buf, cap, "\xC3\x97");
    (void)vdi__power_text(buf + n, cap - n, t->power);
}

VDI__FN const vdi_series *vdi__bars_of(const vdi_panel *p) {
    for (const vdi_series *s = p->first; s; s = s->next)
        if (s->kind == VDI_SERIES_BARS) return s;
    return NULL;
}

VDI__FN void vdi__draw_categories(vdi_writer *w, const vdi__view *v) {
    const vdi_series *s = vdi__bars_of(v->p);
    for (int64_t k = 0; s->categories && k < s->y.shape[1]; k++) {
        double x = v->left + vdi__to_pixel(&v->x, (double)k), y = v->top + v->height + 16;
        char turn[80], at[VDI_TEXT_NUMBER], at_y[VDI_TEXT_NUMBER];
        (void)vdi__px_text(at, x + 4);
        (void)vdi__px_text(at_y, y - 4);
        (void)vdi_text_format(turn, sizeof turn, " transform=\"rotate(-35 %s %s)\"", at, at_y);
        if (!s->categories[k]) continue;
        if (v->label_turn > 0)
            vdi__text_at(w, x + 4, y - 4, "end", VDI__TICK_FONT, turn, s->categories[k]);
        else
            vdi__text_at(w, x, y, "middle", VDI__TICK_FONT, "", s->categories[k]);
    }
}

VDI__FN void vdi__draw_axes(vdi_writer *w, const vdi__view *v) {
    const vdi_panel *p = v->p;
    char text[64];
    double bottom = v->top + v->height;
    bool rows = v->y.low > v->y.high;
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
    if (v->categories && !p->x.bare) vdi__draw_categories(w, v);
    for (int i = 0; i < v->x_ticks.count && v->shown && !p->x.bare && !v->categories; i++) {
        vdi__tick_text(&v->x_ticks, i, text);
        if (v->x_ticks.labelled[i]) {
            vdi__text_at(w, v->left + vdi__to_pixel(&v->x, v->x_ticks.value[i]), bottom + 16,
                         "middle", VDI__TICK_FONT, "", text);
        }
    }
    for (int i = 0; i < v->y_ticks.count && v->shown && !p->y.bare; i++) {
        vdi__tick_text(&v->y_ticks, i, text);
        if (v->y_ticks.labelled[i]) {
            vdi__text_at(w, v->left - 7, v->top + vdi__to_pixel(&v->y, v->y_ticks.value[i]) + 4,
                         "end", VDI__TICK_FONT, "", text);
        }
    }
    if (v->shown && v->y_ticks.power && !p->y.bare) {
        vdi__power_label(&v->y_ticks, text, sizeof text);
        vdi__text_at(w, v->left - 7, v->top - 5 + (rows ? v->height + 22 : 0), "end",
                     VDI__TICK_FONT, "", text);
    }
    if (v->shown && v->x_ticks.power && !p->x.bare && !v->categories) {
        vdi__power_label(&v->x_ticks, text, sizeof text);
        vdi__text_at(w, v->left + v->width, bottom + 30, "end", VDI__TICK_FONT, "", text);
    }
    if (p->x.label && !p->x.bare) {
        vdi__text_at(w, v->left + v->width / 2, bottom + 33 + v->label_turn, "middle",
                     VDI__LABEL_FONT, "", p->x.label);
    }
    if (p->y.label && !p->y.bare) {
        char at[VDI_TEXT_NUMBER], middle[VDI_TEXT_NUMBER], turn[100];
        (void)vdi__px_text(at, v->left - v->before + 14);
        (void)vdi__px_text(middle, v->top + v->height / 2);
        (void)vdi_text_format(turn, sizeof turn, " transform=\"rotate(-90 %s %s)\"", at, middle);
        vdi__text_at(w, v->left - v->before + 14, v->top + v->height / 2, "middle", VDI__LABEL_FONT,
                     turn, p->y.label);
    }
    if (!v->shown) {
        vdi__text_at(w, v->left + v->width / 2, v->top + v->height / 2 + 4, "middle",
                     VDI__LABEL_FONT, " opacity=\"0.5\"", "no data");
    }
}

VDI__FN void vdi__draw_colorbar(vdi_writer *w, const vdi__view *v) {
    vdi_rgb palette[255];
    vdi_png png;
    char text[64];
    double x = v->left + v->width + 10;
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
        uint8_t level = (uint8_t)(254 - i);
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
        if (v->value_ticks.labelled[i]) {
            vdi__text_at(w, x + 17, vdi__to_pixel(&scale, v->value_ticks.value[i]) + 4, "start",
                         VDI__TICK_FONT, "", text);
        }
    }
    if (v->value_ticks.power) {
        vdi__power_label(&v->value_ticks, text, sizeof text);
        vdi__text_at(w, x, v->top - 5, "start", VDI__TICK_FONT, "", text);
    }
    if (v->p->value.label) {
        char at[VDI_TEXT_NUMBER], middle[VDI_TEXT_NUMBER], turn[100];
        (void)vdi__px_text(at, v->left + v->width + v->after - 6);
        (void)vdi__px_text(middle, v->top + v->height / 2);
        (void)vdi_text_format(turn, sizeof turn, " transform=\"rotate(-90 %s %s)\"", at, middle);
        vdi__text_at(w, v->left + v->width + v->after - 6, v->top + v->height / 2, "middle",
                     VDI__LABEL_FONT, turn, v->p->value.label);
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
    if (v->has_map && v->shown) vdi__draw_colorbar(w, v);
}

/* ---- the whole ---- */

/* Rows and columns of panels share their margins, so that axes line up. Fills the views; returns
 * the height of the figure. */
VDI__FN double vdi__layout(const vdi_figure *f, vdi__view *views) {
    int rows = f->desc.rows, cols = f->desc.cols;
    double y = f->desc.title ? 30 : 6;
    for (int i = 0; i < rows * cols; i++) {
        vdi__view *v = &views[i];
        memset(v, 0, sizeof *v);
        v->p = &f->panels[i];
        v->height = v->p->height >= 10 && v->p->height < 1e4 ? v->p->height : f->desc.height;
        vdi__view_limits(v);
        vdi__view_room(v, f->desc.width / cols - 80);
    }
    for (int c = 0; c < cols; c++) {
        double before = 0, after = 0;
        for (int r = 0; r < rows; r++) {
            before = VDI__MAX(before, views[r * cols + c].before);
            after = VDI__MAX(after, views[r * cols + c].after);
        }
        for (int r = 0; r < rows; r++) {
            vdi__view *v = &views[r * cols + c];
            double own = v->after;
            v->before = before;
            v->left = f->desc.width * c / cols + before + (c ? 12 : 0);
            v->width = VDI__MAX(f->desc.width * (c + 1) / cols - v->left - after, 30);
            vdi__view_room(v, v->width);
            v->after = VDI__MAX(own, 14);
            v->before = before;
        }
    }
    for (int r = 0; r < rows; r++) {
        double above = 0, height = 0, below = 0;
        for (int c = 0; c < cols; c++) {
            vdi__view *v = &views[r * cols + c];
            const vdi_series *bars = vdi__bars_of(v->p);
            v->legend_lines = vdi__legend(NULL, v, 0, 0, v->width);
            v->above = 6 + (v->p->title ? 20 : 0) + 17 * v->legend_lines +
                       (v->legend_lines ? 5 : 0) +
                       (!v->legend_lines && (v->y_ticks.power || v->value_ticks.power) ? 10 : 0);
            v->label_turn = 0;
            for (int64_t k = 0; bars && bars->categories && k < bars->y.shape[1] && k < 1000; k++) {
                double wide = vdi__text_width(bars->categories[k], VDI__TICK_FONT);
                if (wide > v->width / (double)bars->y.shape[1] - 6) v->label_turn = -1;
            }
            for (int64_t k = 0; v->label_turn != 0 && k < bars->y.shape[1] && k < 1000; k++) {
                v->label_turn =
                    VDI__MAX(v->label_turn,
                             0.574 * vdi__text_width(bars->categories[k], VDI__TICK_FONT) - 4);
            }
            above = VDI__MAX(above, v->above);
            height = VDI__MAX(height, v->height);
            below = VDI__MAX(below, v->below + VDI__MAX(v->label_turn, 0));
        }
        for (int c = 0; c < cols; c++) {
            vdi__view *v = &views[r * cols + c];
            v->top = y + above;
            v->x.origin = 0;
            v->x.length = v->width;
            v->y.origin = v->height;
            v->y.length = -v->height;
        }
        y += above + height + below + 4;
    }
    return y + 4;
}

VDI__DEF vdi_status vdi_svg_write(vdi_writer *w, vdi_figure *f, bool inside_page, vdi_error *err) {
    int64_t n = f->panels ? (int64_t)f->desc.rows * f->desc.cols : 0;
    vdi_arena_mark mark = vdi_arena_get_mark(&f->arena);
    if (f->wrong_desc) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_svg_write", w->name, "%s",
                             f->error.message);
    }
    if (f->wrong_panel) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_svg_write", w->name,
                             "a panel outside of the %d x %d was asked for", f->desc.rows,
                             f->desc.cols);
    }
    for (int64_t i = 0; i < n; i++) {
        for (const vdi_series *s = f->panels[i].first; s; s = s->next) {
            vdi_status status = vdi__series_check(s, w->name, err);
            if (status < 0) return status;
        }
    }
    vdi__view *views =
        f->no_memory
            ? NULL
            : (vdi__view *)vdi_arena_alloc(&f->arena, vdi_mul_size((size_t)n, sizeof *views));
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
