/* io/figure_view.h - a panel on its way to the paper: its scales, its plot area, its colours
 *
 * There is no public part.
 */
#ifndef VDI_IO_FIGURE_VIEW_H
#define VDI_IO_FIGURE_VIEW_H
#include "color.h"
#include "figure.h"
#include "figure_scale.h"

#endif /* VDI_IO_FIGURE_VIEW_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_FIGURE_VIEW_C)
#define VDI_IO_FIGURE_VIEW_C

/* What the series of a panel cover, and what of them decides about the margins. */
typedef struct vdi__extent {
    vdi__range x, y, value;
    bool lines, upright, points; /* upright: bars, which stand on 0 */
    double sign_x, sign_y;       /* of the steps of a map, where there is one */
} vdi__extent;

#define VDI__BINS 200

typedef struct vdi__bins {
    double low, width;
    int count;
    int64_t hits[VDI__BINS];
} vdi__bins;

typedef struct vdi__view {
    const vdi_panel *p;
    vdi__scale x, y, value;
    vdi__ticks x_ticks, y_ticks, value_ticks;
    vdi__bins bins;                     /* shared by all histograms of the panel */
    double left, top, width, height;    /* the plot area */
    double above, below, before, after; /* room for titles, labels and numbers */
    double slanted;                     /* height of category labels that are, else 0 */
    int legend_lines;
    bool colors; /* there is a scale of colours */
    bool pale;   /* it is that of a map */
    bool categories, shown;
} vdi__view;

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

/* A colour by its number: in this form a page's style can lighten it on a dark ground. */
VDI__FN const char *vdi__category_text(int index, char buf[24]) {
    static const char digit[] = "0123456789abcdef";
    const vdi_rgb rgb = vdi_color_category(index);
    const uint8_t part[3] = {rgb.r, rgb.g, rgb.b};
    buf[0] = '#';
    buf[7] = 0;
    for (int i = 0; i < 3; i++) {
        buf[1 + 2 * i] = digit[part[i] >> 4];
        buf[2 + 2 * i] = digit[part[i] & 15];
    }
    return buf;
}

/* What a series is drawn in: its own colour, else `automatic`, else category number `index`. */
VDI__FN const char *vdi__ink(const vdi_series *s, const char *automatic, int index, char buf[24]) {
    if (s->color == VDI_COLOR_AUTO) return automatic ? automatic : vdi__category_text(index, buf);
    if (s->color == VDI_COLOR_INK) return "currentColor";
    if (s->color == VDI_COLOR_GREY) return "#888";
    return vdi__category_text((int)s->color - 1, buf);
}
#endif
