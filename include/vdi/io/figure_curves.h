/* io/figure_curves.h - lines, bands and points of a figure: their extent, and how they are drawn
 *
 * Coordinates are inside the plot area. There is no public part.
 */
#ifndef VDI_IO_FIGURE_CURVES_H
#define VDI_IO_FIGURE_CURVES_H
#include "figure_view.h"
#include "markup.h"

#endif /* VDI_IO_FIGURE_CURVES_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_FIGURE_CURVES_C)
#define VDI_IO_FIGURE_CURVES_C

/* ---- what they cover ---- */

VDI__FN void vdi__extent_curve(vdi__view *v, const vdi_series *s, vdi__extent *e) {
    const vdi_panel *p = v->p;
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

/* The same, with the values that colour it. */
VDI__FN void vdi__extent_colored(vdi__view *v, const vdi_series *s, vdi__extent *e) {
    vdi__extent_curve(v, s, e);
    if (!s->by.data) return;
    v->colors = true;
    for (int64_t i = 0; i < s->by.shape[0]; i++)
        vdi__range_take(&e->value, vdi__at(s->by, i));
}

VDI__FN void vdi__extent_points(vdi__view *v, const vdi_series *s, vdi__extent *e) {
    vdi__extent_colored(v, s, e);
    e->points = true;
}

/* ---- in colours by value ---- */

/* Paths of one colour each, a line or points. */
typedef struct vdi__strokes {
    vdi_writer *w;
    vdi_rgb palette[255];
    int open; /* number of the colour, -1: no path is open */
} vdi__strokes;

VDI__FN void vdi__strokes_end(vdi__strokes *p) {
    if (p->open >= 0) vdi_write_text(p->w, "\"/>\n");
    p->open = -1;
}

/* The path goes on in that colour; true if it is a new one. */
VDI__FN bool vdi__strokes_in(vdi__strokes *p, int color) {
    const vdi_rgb c = p->palette[VDI__MIN(color, 254)];
    if (color == p->open) return false;
    vdi__strokes_end(p);
    vdi_write_format(p->w, "<path stroke=\"rgb(%d,%d,%d)\" d=\"", c.r, c.g, c.b);
    p->open = color;
    return true;
}

/* Lines and points with values: a path for each stretch of one colour; 64 colours are as many as an
 * eye tells apart in a thin line. */
VDI__FN void vdi__draw_colored(vdi_writer *w, const vdi__view *v, const vdi_series *s,
                               double width) {
    vdi__strokes strokes;
    vdi__scale value = v->value;
    const bool line = s->kind == VDI_SERIES_LINE;
    double last_x = (double)NAN, last_y = (double)NAN;
    strokes.w = w;
    strokes.open = -1;
    value.origin = 0;
    value.length = 1;
    vdi__palette(v, strokes.palette);
    vdi_write_format(w,
                     "<g fill=\"none\" stroke-width=\"%g\" stroke-linejoin=\"round\" "
                     "stroke-linecap=\"round\" opacity=\"%g\">\n",
                     s->width > 0 ? s->width : width, s->opacity > 0 ? s->opacity : 1);
    for (int64_t i = 0; i < s->y.shape[0]; i++) {
        const double x = vdi__to_pixel(&v->x, vdi__x_at(v->p, s, i));
        const double y = vdi__to_pixel(&v->y, vdi__at(s->y, i));
        const double level = vdi__to_pixel(&value, vdi__at(s->by, i));
        const bool there = x == x && y == y && level == level;
        if (there && (!line || last_x == last_x)) {
            const int c = 4 * (int)(0.5 + 63 * VDI__MIN(VDI__MAX(level, 0), 1));
            if (vdi__strokes_in(&strokes, c) && line) vdi__point(w, 'M', last_x, last_y);
            vdi__point(w, line ? 'L' : 'M', x, y);
            if (!line) vdi_write_text(w, "h.01");
        } else if (line) {
            vdi__strokes_end(&strokes); /* a gap */
        }
        last_x = y == y ? x : y;
        last_y = y;
    }
    vdi__strokes_end(&strokes);
    vdi_write_text(w, "</g>\n");
}

/* ---- lines ---- */

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

VDI__FN void vdi__draw_line(vdi_writer *w, vdi__view *v, const vdi_series *s, int color) {
    vdi__pen pen = VDI__ZERO;
    char buf[24];
    if (s->by.data) {
        vdi__draw_colored(w, v, s, 1.4);
        return;
    }
    double width = s->width > 0 ? s->width : 1.4;
    pen.w = w;
    pen.thin = (double)s->y.shape[0] > 3 * v->width && vdi__rising(v->p, s);
    vdi_write_format(w,
                     "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" "
                     "stroke-linejoin=\"round\" stroke-linecap=\"round\" opacity=\"%g\"%s d=\"",
                     vdi__ink(s, NULL, color, buf), width, s->opacity > 0 ? s->opacity : 1,
                     s->dashed ? " stroke-dasharray=\"5 4\"" : "");
    for (int64_t i = 0; i < s->y.shape[0]; i++) {
        vdi__pen_to(&pen, i, vdi__to_pixel(&v->x, vdi__x_at(v->p, s, i)),
                    vdi__to_pixel(&v->y, vdi__at(s->y, i)));
    }
    vdi__pen_up(&pen);
    vdi_write_text(w, "\"/>\n");
}

/* ---- bands ---- */

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

VDI__FN void vdi__draw_band(vdi_writer *w, vdi__view *v, const vdi_series *s, int color) {
    char buf[24];
    vdi_write_format(w, "<path fill=\"%s\" opacity=\"%g\" d=\"", vdi__ink(s, NULL, color, buf),
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

/* ---- points ---- */

/* Is this half-pixel cell new? Dense clouds of points are drawn once per cell. */
VDI__FN bool vdi__cell_take(uint8_t *seen, int64_t cols, int64_t rows, double x, double y) {
    int64_t i = (int64_t)floor(2 * x), k = (int64_t)floor(2 * y);
    if (i < 0 || k < 0 || i >= cols || k >= rows) return false;
    uint8_t bit = (uint8_t)(1u << (i & 7)), *cell = &seen[k * (cols / 8 + 1) + i / 8];
    bool is_new = !(*cell & bit);
    *cell = (uint8_t)(*cell | bit);
    return is_new;
}

VDI__FN void vdi__draw_scatter(vdi_writer *w, vdi__view *v, const vdi_series *s, int color) {
    char buf[24];
    const int64_t n = s->y.shape[0];
    const double size = n > 300 ? 3 : 4.5, opacity = n > 300 ? 0.5 : 0.75;
    if (s->by.data) {
        vdi__draw_colored(w, v, s, size);
        return;
    }
    vdi_arena *arena = &v->p->figure->arena;
    vdi_arena_mark mark = vdi_arena_get_mark(arena);
    int64_t cols = (int64_t)(2 * v->width) + 2;
    int64_t rows = (int64_t)(2 * v->height) + 2;
    uint8_t *seen = n > 2000 ? (uint8_t *)vdi_arena_calloc(arena, (size_t)((cols / 8 + 1) * rows))
                             : NULL; /* none: every point is drawn */
    vdi_write_format(w,
                     "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" "
                     "stroke-linecap=\"round\" opacity=\"%g\" d=\"",
                     vdi__ink(s, NULL, color, buf), s->width > 0 ? s->width : size,
                     s->opacity > 0 ? s->opacity : opacity);
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
#endif
