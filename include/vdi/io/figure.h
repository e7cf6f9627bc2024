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
 * keeps a formatted string). Any dtype, any strides. NaN is a gap, infinities too. A call never
 * fails by itself: what does not fit together, or a lack of memory, is the status of the drawing.
 * Memory: an arena for the list of what is shown. Threads: one figure, one thread.
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

/* ---- scales ---- */

/* Element i of a 1-d view; x of a series: its own, or the panel's. Infinities are gaps. */
VDI__FN double vdi__at(vdi_tensor t, int64_t i) {
    double v = vdi_dtype_load(t.dtype, t.data, i * t.stride[0]);
    return v - v == 0 ? v : (double)NAN;
}
VDI__FN double vdi__at2(vdi_tensor t, int64_t i, int64_t k) {
    double v = vdi_dtype_load(t.dtype, t.data, i * t.stride[0] + k * t.stride[1]);
    return v - v == 0 ? v : (double)NAN;
}
VDI__FN double vdi__step(double d) { return d - d == 0 && d != 0 ? d : 1; }
VDI__FN double vdi__x_at(const vdi_panel *p, const vdi_series *s, int64_t i) {
    return s->x.data ? vdi__at(s->x, i) : p->x0 + (double)i * vdi__step(p->dx);
}

/* From values to pixels: pixel = origin + length * (f(v) - low) / (high - low), f the identity or
 * log10. */
typedef struct vdi__scale {
    double low, high, origin, length;
    bool log;
} vdi__scale;

VDI__FN double vdi__to_pixel(const vdi__scale *s, double v) {
    double u = s->log ? (v > 0 ? log10(v) : (double)NAN) : v;
    double p = s->origin + s->length * ((u - s->low) / (s->high - s->low));
    /* far outside is outside: no overflow in the file */
    return p > 1e5 ? 1e5 : p < -1e5 ? -1e5 : p;
}

/* The range of what has been shown to it. */
typedef struct vdi__range {
    double low, high;
    bool any, log;
} vdi__range;

VDI__FN void vdi__range_take(vdi__range *r, double v) {
    if (!(v - v == 0) || (r->log && v <= 0)) return;
    v = v > 1e300 ? 1e300 : v < -1e300 ? -1e300 : v; /* so that high - low is finite */
    if (!r->any || v < r->low) r->low = v;
    if (!r->any || v > r->high) r->high = v;
    r->any = true;
}

/* Limits: those given, else the data's with a margin; never empty, whatever the data. */
VDI__FN void vdi__scale_set(vdi__scale *s, const vdi_axis *axis, vdi__range r, double margin_low,
                            double margin_high) {
    bool given = axis->has_limits && axis->low < axis->high && axis->high - axis->low < 1e308 &&
                 (!axis->log || axis->low > 0);
    s->log = axis->log;
    s->low = given ? axis->low : r.any ? r.low : axis->log ? 1 : 0;
    s->high = given ? axis->high : r.any ? r.high : axis->log ? 10 : 1;
    if (s->log) {
        s->low = log10(s->low);
        s->high = log10(s->high);
    }
    double size = VDI__MAX(fabs(s->low), fabs(s->high)), width = s->high - s->low;
    if (width <= 1e-10 * size || width < 1e-300) { /* constant data, in the middle */
        double half = s->log ? 0.5 : size > 1e-290 ? 0.1 * size : 1;
        s->low -= half;
        s->high += half;
    } else if (!given) {
        s->low -= margin_low * width;
        s->high += margin_high * width;
    }
}

#define VDI__TICKS 48

/* Where ticks stand and what they say. */
typedef struct vdi__ticks {
    int count;
    double value[VDI__TICKS];
    bool labelled[VDI__TICKS];
    double unit; /* labels are values / 10^power */
    int power, decimals;
    bool powers; /* labels are powers of ten */
} vdi__ticks;

/* 1, 2 or 5 times a power of ten, at most `most` steps in the range. */
VDI__FN double vdi__nice_step(double range, double most) {
    double raw = range / VDI__MAX(most, 1), ten = pow(10, floor(log10(raw))), m = raw / ten;
    return ten * (m <= 1.0000001 ? 1 : m <= 2.0000001 ? 2 : m <= 5.0000001 ? 5 : 10);
}

VDI__FN void vdi__tick_add(vdi__ticks *t, double value, bool labelled) {
    if (t->count == VDI__TICKS) return;
    t->value[t->count] = value;
    t->labelled[t->count++] = labelled;
}

VDI__FN void vdi__ticks_linear(vdi__ticks *t, double low, double high, double most, bool whole) {
    double step = vdi__nice_step(high - low, most), size = VDI__MAX(fabs(low), fabs(high));
    if (whole && step < 1) step = 1;
    memset(t, 0, sizeof *t);
    t->unit = 1;
    /* at the ends of double: an axis without numbers */
    if (!(step > 1e-290 && size < 1e305)) return;
    for (double k = ceil(low / step - 1e-6);
         k <= floor(high / step + 1e-6) && t->count < VDI__TICKS; k++)
        vdi__tick_add(t, k * step, true);
    if (size >= 1e5 || size < 1e-3) t->power = 3 * (int)floor(log10(size) / 3 + 1e-9);
    t->unit = pow(10, t->power);
    t->decimals = VDI__MIN(VDI__MAX(0, (int)-floor(log10(step / t->unit) + 1e-6)), 12);
}

VDI__FN void vdi__ticks_log(vdi__ticks *t, double low, double high, double most) {
    double first = VDI__MAX(ceil(low - 1e-6), -300), last = VDI__MIN(floor(high + 1e-6), 300);
    memset(t, 0, sizeof *t);
    t->unit = 1;
    if (last - first < 1 && high - low < 1) { /* within a decade: round numbers of a linear axis */
        vdi__ticks_linear(t, pow(10, low), pow(10, high), most, false);
        return;
    }
    double every = ceil((last - first + 1) / VDI__MAX(most, 1)); /* decades from label to label */
    bool minor = last - first <= 5;
    t->powers = first < -3 || last > 4;
    t->decimals = (int)VDI__MAX(0, -first);
    for (double k = first - 1; k <= last && t->count < VDI__TICKS; k++) {
        for (int m = 1; m <= (minor ? 9 : 1); m++) {
            double at = k + log10(m);
            if (at >= low - 1e-6 && at <= high + 1e-6)
                vdi__tick_add(t, m * pow(10, k), m == 1 && fmod(k - first, every) == 0);
        }
    }
}

/* A number with `decimals` digits behind the point and a true minus sign. Returns its length. */
VDI__FN size_t vdi__fixed(char *buf, double v, int decimals) {
    static const double ten[13] = {1,   1e1, 1e2, 1e3,  1e4,  1e5, 1e6,
                                   1e7, 1e8, 1e9, 1e10, 1e11, 1e12};
    double scaled = floor(fabs(v) * ten[decimals] + 0.5);
    char digits[VDI_TEXT_NUMBER];
    size_t n = 0, k;
    if (!(scaled < 9e15)) return vdi_text_double(buf, v, 6);
    k = vdi_text_format(digits, sizeof digits, "%lld", (long long)scaled);
    if (v < 0 && scaled > 0) n = vdi_text_copy(buf, 8, "\xE2\x88\x92");
    for (size_t pad = k; pad <= (size_t)decimals; pad++) {
        buf[n++] = '0';
        if (pad == k && decimals) buf[n++] = '.';
    }
    for (size_t i = 0; i < k; i++) {
        if (k > (size_t)decimals && i == k - (size_t)decimals && decimals) buf[n++] = '.';
        buf[n++] = digits[i];
    }
    buf[n] = 0;
    return n;
}

/* "10" with a raised exponent. */
VDI__FN size_t vdi__power_text(char *buf, size_t cap, int power) {
    static const char *const raised[10] = {
        "\xE2\x81\xB0", "\xC2\xB9",     "\xC2\xB2",     "\xC2\xB3",     "\xE2\x81\xB4",
        "\xE2\x81\xB5", "\xE2\x81\xB6", "\xE2\x81\xB7", "\xE2\x81\xB8", "\xE2\x81\xB9"};
    char digits[VDI_TEXT_NUMBER];
    size_t n = vdi_text_copy(buf, cap, power < 0 ? "10\xE2\x81\xBB" : "10");
    size_t k = vdi_text_format(digits, sizeof digits, "%d", abs(power));
    for (size_t i = 0; i < k; i++)
        n += vdi_text_copy(buf + n, cap - n, raised[digits[i] - '0']);
    return n;
}

VDI__FN void vdi__tick_text(const vdi__ticks *t, int i, char buf[48]) {
    if (t->powers)
        (void)vdi__power_text(buf, 48, (int)floor(log10(t->value[i]) + 0.5));
    else if (t->unit == 1 && t->value[i] != 0 && fabs(t->value[i]) < 1 && t->decimals > 3)
        (void)vdi_text_double(buf, t->value[i], 3);
    else
        (void)vdi__fixed(buf, t->value[i] / t->unit, t->decimals);
}

/* ---- histograms ---- */

#define VDI__BINS 200

typedef struct vdi__bins {
    double low, width;
    int count;
    int64_t hits[VDI__BINS];
} vdi__bins;

/* Bins shared by all histograms of a panel. */
VDI__FN void vdi__bins_choose(const vdi_panel *p, vdi__bins *b) {
    vdi__range r = VDI__ZERO;
    double n = 0, mean = 0, square = 0;
    int wanted = 0;
    bool whole = true;
    memset(b, 0, sizeof *b);
    for (const vdi_series *s = p->first; s; s = s->next) {
        if (s->kind != VDI_SERIES_HISTOGRAM || vdi_tensor_count(s->y) == 0) continue;
        if (!wanted) wanted = s->bins;
        int64_t last = s->y.ndim ? s->y.shape[s->y.ndim - 1] : 1;
        int64_t step = s->y.ndim ? s->y.stride[s->y.ndim - 1] : 1;
        for (vdi__rows rows = vdi__rows_begin(s->y); rows.left > 0; vdi__rows_next(&rows, s->y)) {
            const void *data = vdi__tensor_at(s->y, vdi__rows_offset(&rows, s->y));
            for (int64_t i = 0; i < last; i++) {
                double v = vdi_dtype_load(s->y.dtype, data, i * step);
                if (!(fabs(v) < 1e150)) continue;
                vdi__range_take(&r, v);
                whole = whole && v == floor(v);
                n++;
                square += (v - mean) * (v - mean) * ((n - 1) / n);
                mean += (v - mean) / n;
            }
        }
    }
    double range = r.high - r.low, best = n > 0 ? 3.49 * sqrt(square / n) / cbrt(n) : 0;
    if (!r.any || range <= 1e-10 * fabs(r.high)) { /* nothing, or one value */
        double half = r.any && fabs(r.high) > 1e3 ? 1e-3 * fabs(r.high) : 0.5;
        b->low = (r.any ? r.low : 0) - half;
        b->width = 2 * half;
        b->count = 1;
        return;
    }
    b->low = r.low;
    if (wanted > 0) {
        b->count = VDI__MIN(wanted, VDI__BINS);
    } else if (whole && range < 60) {
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

/* ---- what fits together ---- */

VDI__FN vdi_status vdi__series_check(const vdi_series *s, const char *name, vdi_error *err) {
    static const char *const kind[] = {"line",     "band", "scatter",   "raster",
                                       "heat map", "bars", "histogram", "rule"};
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    int axes = s->kind <= VDI_SERIES_SCATTER ? 1 : s->kind <= VDI_SERIES_BARS ? 2 : s->y.ndim;
    if (s->kind == VDI_SERIES_RULE) return VDI_OK;
    if (!vdi_tensor_ok(s->y) || s->y.ndim != axes || (!s->y.data && vdi_tensor_count(s->y))) {
        return vdi__io_error(err, VDI_ERR_SHAPE, "vdi_svg_write", name,
                             "%s '%s' has shape %s, expected %d axes", kind[s->kind],
                             s->name ? s->name : "", vdi_tensor_shape_text(s->y, a),
                             axes < 0 ? 1 : axes);
    }
    bool paired = s->kind == VDI_SERIES_BAND || (s->kind == VDI_SERIES_BARS && s->z.data);
    if (paired && !(vdi_tensor_ok(s->z) && vdi_tensor_same_shape(s->y, s->z) &&
                    (s->z.data || !vdi_tensor_count(s->z)))) {
        return vdi__io_error(err, VDI_ERR_SHAPE, "vdi_svg_write", name,
                             "%s '%s' has shapes %s and %s, expected equal ones", kind[s->kind],
                             s->name ? s->name : "", vdi_tensor_shape_text(s->y, a),
                             vdi_tensor_shape_text(s->z, b));
    }
    bool along = s->kind == VDI_SERIES_SCATTER || (s->kind <= VDI_SERIES_BAND && s->x.data);
    if (along && !(vdi_tensor_same_shape(s->x, s->y) && (s->x.data || !vdi_tensor_count(s->x)))) {
        return vdi__io_error(err, VDI_ERR_SHAPE, "vdi_svg_write", name,
                             "%s '%s' has x %s and y %s, expected equal lengths", kind[s->kind],
                             s->name ? s->name : "", vdi_tensor_shape_text(s->x, a),
                             vdi_tensor_shape_text(s->y, b));
    }
    if (s->kind <= VDI_SERIES_SCATTER && s->by.data && !vdi_tensor_same_shape(s->by, s->y)) {
        return vdi__io_error(err, VDI_ERR_SHAPE, "vdi_svg_write", name,
                             "%s '%s' has colours by %s and y %s, expected equal lengths",
                             kind[s->kind], s->name ? s->name : "", vdi_tensor_shape_text(s->by, a),
                             vdi_tensor_shape_text(s->y, b));
    }
    return VDI_OK;
}
#endif
