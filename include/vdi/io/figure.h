/* io/figure.h - what a figure shows: panels in a grid, and in each lines, bands, points, spikes,
 * maps, bars
 *
 * Do this (it compiles):
 *     static double mean[3] = {1, 3, 2}, low[3] = {0, 2, 1}, high[3] = {2, 4, 3};
 *     vdi_figure f;
 *     vdi_figure_init(&f, NULL);
 *     vdi_panel *p = vdi_figure_panel(&f, 0, 0);
 *     p->x.label = "time (s)", p->dx = 0.01;                                  samples every 10 ms
 *     vdi_panel_line(p, "smoothed", vdi_tensor_1d(mean, VDI_F64, 3))->width = 2;
 *     vdi_panel_band(p, "2 sd", vdi_tensor_1d(low, VDI_F64, 3), vdi_tensor_1d(high, VDI_F64, 3));
 *     vdi_error err;
 *     if (vdi_svg_save("smooth.svg", &f, &err) < 0) puts(err.message);        io/svg.h draws it
 *     vdi_figure_free(&f);
 *
 * Nothing is copied: numbers and strings have to live until the figure is drawn (vdi_figure_text
 * keeps a formatted string). Any dtype, any strides. NaN is a gap, infinities too. These calls do
 * not fail: inconsistent arguments or a lack of memory become the status of the drawing. Memory: an
 * arena for the list of what is shown. Threads: one figure, one thread.
 */
#ifndef VDI_IO_FIGURE_H
#define VDI_IO_FIGURE_H
#include "../core/alloc.h"
#include "../core/field.h"
#include "../core/status.h"
#include "../core/tensor.h"
#include "color.h"

/** Options of a figure; zero is the default of each. */
typedef struct vdi_figure_desc {
    const char *title;       /**< above all, or NULL */
    int rows, cols;          /**< panels */
    double width;            /**< of the whole figure in pixels */
    double height;           /**< of one panel's plot area in pixels */
    vdi_allocator allocator; /**< default malloc */
} vdi_figure_desc;
/** Its table: the fields that are numbers. */
VDI_API const vdi_fields *vdi_figure_desc_fields(void);
/** The filled description. */
VDI_API vdi_figure_desc vdi_figure_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_figure_desc_check(const vdi_figure_desc *desc, vdi_error *err);

/** One axis of a panel. */
typedef struct vdi_axis {
    const char *label; /**< with its unit: "time (s)"; or NULL */
    bool log;          /**< logarithmic; values that are not positive are gaps */
    bool has_limits;   /**< `low` and `high` are given; else the data decide */
    bool bare;         /**< no numbers and no label, as on the upper panels of a stack */
    double low, high;  /**< the limits, low < high */
} vdi_axis;

/** Colours by name. */
typedef enum vdi_color {
    VDI_COLOR_AUTO = 0, /**< the next category; for a band, that of the line before it */
    VDI_COLOR_BLUE = 1,
    VDI_COLOR_VERMILION = 2,
    VDI_COLOR_GREEN = 3,
    VDI_COLOR_PURPLE = 4,
    VDI_COLOR_ORANGE = 5,
    VDI_COLOR_SKY = 6,
    VDI_COLOR_INK = 7, /**< the colour of the text, light on a dark page */
    VDI_COLOR_GREY = 8
} vdi_color;

/** What kind of thing a series is. */
typedef enum vdi_series_kind {
    VDI_SERIES_LINE,
    VDI_SERIES_BAND,
    VDI_SERIES_SCATTER,
    VDI_SERIES_RASTER,
    VDI_SERIES_HEATMAP,
    VDI_SERIES_BARS,
    VDI_SERIES_HISTOGRAM,
    VDI_SERIES_RULE
} vdi_series_kind;

/** One thing in a panel. `x` to `dashed` are yours to change after the call that made it. */
typedef struct vdi_series {
    vdi_tensor x;    /**< (n,) positions of a line or band; default: the panel's x0 + i dx */
    vdi_color color; /**< default: the next one */
    double width;    /**< of a line in pixels, default 1.4; diameter of a point, default 4 */
    double opacity;  /**< 0 to 1; default by kind */
    bool dashed;     /**< a dashed line */
    vdi_tensor by;   /**< (n,) values that colour a line or points by the panel's scale; default:
                          `color` */
    /* private */
    vdi_series_kind kind;
    const char *name;
    vdi_tensor y, z;
    const char *const *groups, *const *categories;
    double at;
    int bins;
    char axis;
    struct vdi_series *next;
} vdi_series;

struct vdi_figure;
/** One panel. The members up to `height` are yours. */
typedef struct vdi_panel {
    const char *title; /**< above the panel, or NULL */
    vdi_axis x, y;     /**< the axes */
    vdi_axis value;    /**< colours of a heat map, or of lines and points with values: label and
                            limits */
    double x0, dx;     /**< x of sample i (or of column i of a map): x0 + i dx; dx 0 means 1 */
    double y0, dy;     /**< y of row i of a raster or map; dy 0 means 1 */
    bool diverging;    /**< colours about zero */
    double height;     /**< of the plot area in pixels, where it is not the figure's */
    /* private */
    struct vdi_figure *figure;
    vdi_series *first, *last;
    int colors;
} vdi_panel;

/** A figure. Treat the members as private. */
typedef struct vdi_figure {
    vdi_figure_desc desc;
    vdi_arena arena;
    vdi_panel *panels;
    bool no_memory;
    vdi_panel spare; /* what is handed out when memory is out or an index wrong */
    vdi_series spare_series;
    bool wrong_panel, wrong_desc;
    vdi_error error; /* what is wrong with the description */
} vdi_figure;

/** Start a figure; `desc` NULL: one panel. Free it with vdi_figure_free. A description out of its
 * range is told by the drawing. */
VDI_API void vdi_figure_init(vdi_figure *f, const vdi_figure_desc *desc);
/** Give the figure's memory back. */
VDI_API void vdi_figure_free(vdi_figure *f);
/** The panel of row `row` and column `col`, from the top left. Never NULL. */
VDI_API vdi_panel *vdi_figure_panel(vdi_figure *f, int row, int col);
/** A formatted string that lives as long as the figure; formats of vdi_text_format. */
VDI_API const char *vdi_figure_text(vdi_figure *f, const char *format, ...) VDI__PRINTF(2, 3);

/* Each returns the new series, never NULL, so that it can be changed. `name` is its entry in the
 * legend; NULL: none. */

/** A line through y (n,). Long lines are thinned to the extremes of each pixel column: no peak is
 * lost. */
VDI_API vdi_series *vdi_panel_line(vdi_panel *p, const char *name, vdi_tensor y);
/** The area between low (n,) and high (n,), behind the lines. */
VDI_API vdi_series *vdi_panel_band(vdi_panel *p, const char *name, vdi_tensor low, vdi_tensor high);
/** Points x (n,), y (n,). */
VDI_API vdi_series *vdi_panel_scatter(vdi_panel *p, const char *name, vdi_tensor x, vdi_tensor y);
/** Spikes (neurons,bins): a tick where the count is not 0; row 0 at the top. */
VDI_API vdi_series *vdi_panel_raster(vdi_panel *p, vdi_tensor spikes);
/** A map of values (rows,columns) with a colour bar; row 0 at the top, as a matrix is written. */
VDI_API vdi_series *vdi_panel_heatmap(vdi_panel *p, vdi_tensor values);
/** Bars: values (categories,) or (groups,categories), side by side; `errors` of the same shape are
 * half-lengths of whiskers, or data
 *  NULL. `groups` (legend) and `categories` (x axis) are arrays of strings, or NULL. */
VDI_API vdi_series *vdi_panel_bars(vdi_panel *p, const char *const *groups,
                                   const char *const *categories, vdi_tensor values,
                                   vdi_tensor errors);
/** Counts of values of any shape in `bins` bins; 0 chooses: 1 wide for whole numbers, else Scott's
 * rule 3.49 sd n^(-1/3). */
VDI_API vdi_series *vdi_panel_histogram(vdi_panel *p, const char *name, vdi_tensor values,
                                        int bins);
/** A straight line across the panel where `axis` ('x' or 'y') has that value. */
VDI_API vdi_series *vdi_panel_rule(vdi_panel *p, const char *name, char axis, double value);

#endif /* VDI_IO_FIGURE_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_FIGURE_C)
#define VDI_IO_FIGURE_C

static const vdi_field vdi__figure_rows[] = {
    VDI_FIELD_INT32(vdi_figure_desc, rows, 1, 1, 1000, "panels below each other"),
    VDI_FIELD_INT32(vdi_figure_desc, cols, 1, 1, 100, "panels beside each other"),
    VDI_FIELD_REAL(vdi_figure_desc, width, 700, 100, 10000, "width of the figure, in pixels"),
    VDI_FIELD_REAL(vdi_figure_desc, height, 170, 20, 10000, "height of a panel, in pixels"),
};
static const vdi_fields vdi__figure_table = {"vdi_figure_desc", vdi__figure_rows,
                                             (int)VDI__COUNT(vdi__figure_rows)};

VDI__DEF const vdi_fields *vdi_figure_desc_fields(void) { return &vdi__figure_table; }

VDI__DEF vdi_figure_desc vdi_figure_desc_defaults(void) {
    vdi_figure_desc d = VDI__ZERO;
    vdi_fields_fill(&vdi__figure_table, &d);
    return d;
}

VDI__DEF vdi_status vdi_figure_desc_check(const vdi_figure_desc *desc, vdi_error *err) {
    vdi_figure_desc d = *desc;
    vdi_fields_fill(&vdi__figure_table, &d);
    return vdi_fields_check(&vdi__figure_table, &d, err);
}

VDI__DEF void vdi_figure_init(vdi_figure *f, const vdi_figure_desc *desc) {
    memset(f, 0, sizeof *f);
    if (desc) f->desc = *desc;
    vdi_fields_fill(&vdi__figure_table, &f->desc);
    f->wrong_desc = vdi_figure_desc_check(&f->desc, &f->error) < 0;
    vdi_arena_init(&f->arena, &f->desc.allocator, 4096);
    f->spare.figure = f;
    if (f->wrong_desc) f->desc.rows = f->desc.cols = 0;
    size_t n = vdi_mul_size((size_t)f->desc.rows, (size_t)f->desc.cols);
    f->panels = (vdi_panel *)vdi_arena_calloc(&f->arena, vdi_mul_size(n, sizeof *f->panels));
    f->no_memory = !f->panels;
    for (size_t i = 0; i < n && f->panels; i++)
        f->panels[i].figure = f;
}

VDI__DEF void vdi_figure_free(vdi_figure *f) {
    vdi_arena_free(&f->arena);
    f->panels = NULL;
}

VDI__DEF vdi_panel *vdi_figure_panel(vdi_figure *f, int row, int col) {
    bool there = row >= 0 && row < f->desc.rows && col >= 0 && col < f->desc.cols;
    if (!there) f->wrong_panel = true;
    return there && f->panels ? &f->panels[row * f->desc.cols + col] : &f->spare;
}

VDI__DEF const char *vdi_figure_text(vdi_figure *f, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    size_t n = vdi_text_vformat(text, sizeof text, format, args);
    va_end(args);
    char *copy = (char *)vdi_arena_alloc(&f->arena, n + 1);
    if (!copy) {
        f->no_memory = true;
        return "";
    }
    memcpy(copy, text, n + 1);
    return copy;
}

VDI__FN vdi_series *vdi__panel_add(vdi_panel *p, vdi_series_kind kind, const char *name,
                                   vdi_tensor y) {
    vdi_series *s = p == &p->figure->spare
                        ? NULL
                        : (vdi_series *)vdi_arena_calloc(&p->figure->arena, sizeof *s);
    if (!s) {
        if (p != &p->figure->spare) p->figure->no_memory = true;
        s = &p->figure->spare_series;
        memset(s, 0, sizeof *s);
    } else if (p->last) {
        p->last = p->last->next = s;
    } else {
        p->first = p->last = s;
    }
    s->kind = kind;
    s->name = name;
    s->y = y;
    return s;
}

VDI__DEF vdi_series *vdi_panel_line(vdi_panel *p, const char *name, vdi_tensor y) {
    return vdi__panel_add(p, VDI_SERIES_LINE, name, y);
}

VDI__DEF vdi_series *vdi_panel_band(vdi_panel *p, const char *name, vdi_tensor low,
                                    vdi_tensor high) {
    vdi_series *s = vdi__panel_add(p, VDI_SERIES_BAND, name, low);
    s->z = high;
    return s;
}

VDI__DEF vdi_series *vdi_panel_scatter(vdi_panel *p, const char *name, vdi_tensor x, vdi_tensor y) {
    vdi_series *s = vdi__panel_add(p, VDI_SERIES_SCATTER, name, y);
    s->x = x;
    return s;
}

VDI__DEF vdi_series *vdi_panel_raster(vdi_panel *p, vdi_tensor spikes) {
    return vdi__panel_add(p, VDI_SERIES_RASTER, NULL, spikes);
}

VDI__DEF vdi_series *vdi_panel_heatmap(vdi_panel *p, vdi_tensor values) {
    return vdi__panel_add(p, VDI_SERIES_HEATMAP, NULL, values);
}

VDI__DEF vdi_series *vdi_panel_bars(vdi_panel *p, const char *const *groups,
                                    const char *const *categories, vdi_tensor values,
                                    vdi_tensor errors) {
    vdi_series *s = vdi__panel_add(p, VDI_SERIES_BARS, NULL, values);
    s->z = errors;
    s->groups = groups;
    s->categories = categories;
    if (values.ndim == 1) { /* one group */
        int64_t shape[2];
        shape[0] = 1;
        shape[1] = values.shape[0];
        s->y = vdi_tensor_broadcast_to(values, 2, shape);
        shape[1] = errors.shape[0];
        if (errors.data && errors.ndim == 1) s->z = vdi_tensor_broadcast_to(errors, 2, shape);
    }
    return s;
}

VDI__DEF vdi_series *vdi_panel_histogram(vdi_panel *p, const char *name, vdi_tensor values,
                                         int bins) {
    vdi_series *s = vdi__panel_add(p, VDI_SERIES_HISTOGRAM, name, values);
    s->bins = bins;
    return s;
}

VDI__DEF vdi_series *vdi_panel_rule(vdi_panel *p, const char *name, char axis, double value) {
    vdi_series *s = vdi__panel_add(p, VDI_SERIES_RULE, name, vdi__tensor_null());
    s->axis = axis;
    s->at = value;
    return s;
}
#endif
