/* io/figure_series.h - the kinds of series that a panel may show, one row for each
 *
 * A row says what shapes belong together, what colours a series takes, and which functions find its
 * extent, draw it and draw its mark in the legend. A new kind is a value of vdi_series_kind and the
 * function that makes it (io/figure.h), its functions (io/figure_curves.h, _maps.h, _bars.h or a
 * file of its own), and a row. There is no public part.
 */
#ifndef VDI_IO_FIGURE_SERIES_H
#define VDI_IO_FIGURE_SERIES_H
#include "figure_bars.h"
#include "figure_curves.h"
#include "figure_maps.h"

#endif /* VDI_IO_FIGURE_SERIES_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_FIGURE_SERIES_C)
#define VDI_IO_FIGURE_SERIES_C

/* ---- marks of the legend, at x and about the height y ---- */

VDI__FN void vdi__mark_line(vdi_writer *w, const vdi_series *s, const char *ink, double x,
                            double y) {
    const bool dashed = s->dashed || s->kind == VDI_SERIES_RULE;
    vdi_write_format(w, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\"%s d=\"", ink,
                     VDI__MIN(VDI__MAX(s->width > 0 ? s->width : 1.6, 1), 4),
                     dashed ? " stroke-dasharray=\"5 3\"" : "");
    vdi__point(w, 'M', x, y);
    vdi_write_text(w, "h18\"/>\n");
}

VDI__FN void vdi__mark_dot(vdi_writer *w, const vdi_series *s, const char *ink, double x,
                           double y) {
    (void)s;
    vdi_write_text(w, "<circle r=\"2.5\"");
    vdi__attribute(w, "cx", x + 9);
    vdi__attribute(w, "cy", y);
    vdi_write_format(w, " fill=\"%s\"/>\n", ink);
}

VDI__FN void vdi__mark_block(vdi_writer *w, const vdi_series *s, const char *ink, double x,
                             double y) {
    const char *opacity = s->kind == VDI_SERIES_BAND ? "0.22" : "0.55";
    if (s->kind == VDI_SERIES_BARS) opacity = "0.9";
    vdi_write_text(w, "<rect width=\"18\" height=\"9\"");
    vdi__attribute(w, "x", x);
    vdi__attribute(w, "y", y - 4.5);
    vdi_write_format(w, " fill=\"%s\" opacity=\"%s\"/>\n", ink, opacity);
}

/* ---- the kinds ---- */

typedef enum vdi__need { VDI__NEVER, VDI__WHERE_GIVEN, VDI__ALWAYS } vdi__need;
/* Which of the categories of colour a series takes, where it has none of its own. */
typedef enum vdi__takes {
    VDI__TAKES_NONE,
    VDI__TAKES_NEXT,
    VDI__TAKES_ROWS, /* one for each row of y, and as many entries in the legend */
    VDI__TAKES_LAST  /* that of the series before */
} vdi__takes;

typedef struct vdi__series_type {
    const char *name;
    int axes;         /* of y; -1: any */
    vdi__need pair;   /* z has the shape of y */
    vdi__need along;  /* x has the shape of y */
    bool behind;      /* drawn before the others */
    vdi__takes takes; /* colours */
    const char *ink;  /* the automatic colour, where it is no category */
    void (*extent)(vdi__view *v, const vdi_series *s, vdi__extent *e);
    /* inside the plot area; color: number of the category */
    void (*draw)(vdi_writer *w, vdi__view *v, const vdi_series *s, int color);
    void (*mark)(vdi_writer *w, const vdi_series *s, const char *ink, double x, double y);
} vdi__series_type;

/* One row per kind, in the order of vdi_series_kind. */
static const vdi__series_type vdi__series_types[] = {
    {"line", 1, VDI__NEVER, VDI__WHERE_GIVEN, false, VDI__TAKES_NEXT, NULL, vdi__extent_colored,
     vdi__draw_line, vdi__mark_line},
    {"band", 1, VDI__ALWAYS, VDI__WHERE_GIVEN, true, VDI__TAKES_LAST, NULL, vdi__extent_curve,
     vdi__draw_band, vdi__mark_block},
    {"scatter", 1, VDI__NEVER, VDI__ALWAYS, false, VDI__TAKES_NEXT, NULL, vdi__extent_points,
     vdi__draw_scatter, vdi__mark_dot},
    {"raster", 2, VDI__NEVER, VDI__NEVER, false, VDI__TAKES_NONE, NULL, vdi__extent_raster,
     vdi__draw_raster, NULL},
    {"heat map", 2, VDI__NEVER, VDI__NEVER, true, VDI__TAKES_NONE, NULL, vdi__extent_heatmap,
     vdi__draw_heatmap, NULL},
    {"bars", 2, VDI__WHERE_GIVEN, VDI__NEVER, false, VDI__TAKES_ROWS, NULL, vdi__extent_bars,
     vdi__draw_bars, vdi__mark_block},
    {"histogram", -1, VDI__NEVER, VDI__NEVER, true, VDI__TAKES_NEXT, NULL, vdi__extent_histogram,
     vdi__draw_histogram, vdi__mark_block},
    {"rule", 0, VDI__NEVER, VDI__NEVER, false, VDI__TAKES_NONE, VDI__RULE_INK, vdi__extent_rule,
     vdi__draw_rule, vdi__mark_line},
};

VDI__FN const vdi__series_type *vdi__type_of(const vdi_series *s) {
    return &vdi__series_types[s->kind];
}

/* ---- what fits together ---- */

VDI__FN bool vdi__same_shape_as_y(const vdi_series *s, vdi_tensor t) {
    return vdi_tensor_ok(t) && vdi_tensor_same_shape(s->y, t) && (t.data || !vdi_tensor_count(t));
}

VDI__FN bool vdi__needs(vdi__need need, vdi_tensor t) {
    return need == VDI__ALWAYS || (need == VDI__WHERE_GIVEN && t.data);
}

VDI__FN vdi_status vdi__series_check(const vdi_series *s, const char *file, vdi_error *err) {
    static const char where[] = "vdi_svg_write";
    const vdi__series_type *type = vdi__type_of(s);
    const char *name = s->name ? s->name : "";
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    if (s->kind == VDI_SERIES_RULE) return VDI_OK;
    (void)vdi_tensor_shape_text(s->y, a);
    if (!vdi_tensor_ok(s->y) || (type->axes >= 0 && s->y.ndim != type->axes) ||
        (!s->y.data && vdi_tensor_count(s->y))) {
        return vdi__io_error(err, VDI_ERR_SHAPE, where, file,
                             "%s '%s' has shape %s, expected %d axes", type->name, name, a,
                             type->axes < 0 ? 1 : type->axes);
    }
    if (vdi__needs(type->pair, s->z) && !vdi__same_shape_as_y(s, s->z)) {
        return vdi__io_error(err, VDI_ERR_SHAPE, where, file,
                             "%s '%s' has shapes %s and %s, expected equal ones", type->name, name,
                             a, vdi_tensor_shape_text(s->z, b));
    }
    if (vdi__needs(type->along, s->x) && !vdi__same_shape_as_y(s, s->x)) {
        return vdi__io_error(err, VDI_ERR_SHAPE, where, file,
                             "%s '%s' has x %s and y %s, expected equal lengths", type->name, name,
                             vdi_tensor_shape_text(s->x, b), a);
    }
    if (type->along != VDI__NEVER && s->by.data && !vdi__same_shape_as_y(s, s->by)) {
        return vdi__io_error(err, VDI_ERR_SHAPE, where, file,
                             "%s '%s' has colours by %s and y %s, expected equal lengths",
                             type->name, name, vdi_tensor_shape_text(s->by, b), a);
    }
    return VDI_OK;
}

/* ---- all series of a panel ---- */

/* The category of a series, where `next` is the next that is free; and the next one after it. */
VDI__FN int vdi__series_color(const vdi_series *s, int next) {
    return vdi__type_of(s)->takes == VDI__TAKES_LAST && next ? next - 1 : next;
}
VDI__FN int vdi__series_next(const vdi_series *s, int next) {
    const vdi__takes takes = vdi__type_of(s)->takes;
    if (s->color != VDI_COLOR_AUTO) return next;
    if (takes == VDI__TAKES_ROWS) return next + (int)VDI__MIN(s->y.shape[0], 1000);
    return next + (takes == VDI__TAKES_NEXT);
}

/* Entry i of a series in the legend, NULL where it has none. */
VDI__FN const char *vdi__series_entry(const vdi_series *s, int64_t i) {
    if (vdi__type_of(s)->takes != VDI__TAKES_ROWS) return s->name;
    return s->groups ? s->groups[i] : NULL;
}

/* A walk over the entries of the legend: with `w` it draws them; returns the lines they take in
 * `width`. */
VDI__FN int vdi__legend(vdi_writer *w, const vdi__view *v, double left, double top, double width) {
    double x = 0;
    int line = 0, color = 0, entries = 0;
    for (const vdi_series *s = v->p->first; s; s = s->next) {
        const vdi__series_type *type = vdi__type_of(s);
        const int first = vdi__series_color(s, color);
        const int64_t items = type->takes == VDI__TAKES_ROWS ? s->y.shape[0] : 1;
        for (int64_t i = 0; i < items; i++) {
            const char *name = vdi__series_entry(s, i);
            if (!name) continue;
            const double need = 24 + vdi__text_width(name, VDI__TICK_FONT) + 14;
            if (x > 0 && x + need > width + 14) {
                x = 0;
                line++;
            }
            if (w) {
                const double at = left + x, middle = top + 17 * line + 8;
                char buf[24];
                type->mark(w, s, vdi__ink(s, type->ink, first + (int)i, buf), at, middle);
                vdi__text_at(w, at + 24, middle + 4, "start", VDI__TICK_FONT, "", name);
            }
            x += need;
            entries++;
        }
        color = vdi__series_next(s, color);
    }
    return entries ? line + 1 : 0;
}

/* Bands and maps first, then the rest, in the order given. */
VDI__FN void vdi__draw_series(vdi_writer *w, vdi__view *v) {
    for (int layer = 0; layer < 2; layer++) {
        int color = 0;
        for (const vdi_series *s = v->p->first; s; s = s->next) {
            const vdi__series_type *type = vdi__type_of(s);
            if (type->behind == (layer == 0)) type->draw(w, v, s, vdi__series_color(s, color));
            color = vdi__series_next(s, color);
        }
    }
}
#endif
