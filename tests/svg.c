/* tests/svg.c - figures: well-formed whatever the data, small whatever their length; colours */
#include "io.h"

#define N 100000
static double y[N], x[N], low[N], high[N];
static uint8_t spikes[300 * 2000];

/* The picture, ended with NUL, in a buffer that the caller frees; checked to be well-formed as far
 * as tags go. */
static vdi_buffer drawn(vdi_figure *f) {
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    char open[64][16];
    int depth = 0;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    CHECK_OK(vdi_svg_write(&w, f, false, &err), err);
    vdi_write(&w, "", 1);
    CHECK_OK(vdi_writer_flush(&w, &err), err);
    for (const char *p = b.data; (p = strchr(p, '<')) != NULL; p++) {
        const char *end = strchr(p, '>');
        size_t n = strcspn(p + 1, " />\n");
        if (!end) {
            CHECK(0, "a tag has no end");
            break;
        }
        for (const char *q = p + 1; q < end; q++)
            CHECK(*q != '<', "markup inside a tag: %.40s", p);
        if (p[1] == '/') {
            depth--;
            if (depth >= 0) {
                CHECK(strncmp(p + 2, open[depth], strlen(open[depth])) == 0, "</%.10s closes <%s>",
                      p + 2, open[depth]);
            }
        } else if (end[-1] != '/') {
            if (depth < 64) snprintf(open[depth], sizeof open[0], "%.*s", (int)n, p + 1);
            depth++;
        }
    }
    CHECK(depth == 0, "%d tags are open", depth);
    CHECK(!strstr(b.data, "\"nan") && !strstr(b.data, " nan") && !strstr(b.data, "inf\""),
          "a coordinate is no number");
    return b;
}

static size_t count(const char *text, const char *what) {
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

TEST(svg, one_of_each) {
    static const char *const groups[2] = {"a & b", "<c>"};
    static const char *const categories[3] = {"one", NULL,
                                              "a long name \"quoted\" that has to be slanted"};
    vdi_figure_desc desc;
    vdi_figure f;
    vdi_panel *p;
    memset(&desc, 0, sizeof desc);
    desc.rows = 4;
    desc.cols = 2;
    desc.title = "all & <sundry>";
    for (int i = 0; i < 200; i++) {
        x[i] = i * 0.1;
        y[i] = sin(x[i]);
        low[i] = y[i] - 0.2;
        high[i] = y[i] + 0.2;
    }
    y[50] = NAN;
    low[60] = INFINITY;
    vdi_figure_init(&f, &desc);
    p = vdi_figure_panel(&f, 0, 0);
    p->title = "lines";
    p->x.label = "time (s)";
    p->y.label = "\xC2\xB5V";
    vdi_panel_line(p, "y", vdi_tensor_1d(y, VDI_F64, 200))->x = vdi_tensor_1d(x, VDI_F64, 200);
    vdi_panel_band(p, "2 sd", vdi_tensor_1d(low, VDI_F64, 200), vdi_tensor_1d(high, VDI_F64, 200))
        ->x = vdi_tensor_1d(x, VDI_F64, 200);
    vdi_panel_rule(p, "rule", 'x', 3);
    vdi_panel_scatter(vdi_figure_panel(&f, 0, 1), "dots", vdi_tensor_1d(x, VDI_F64, 200),
                      vdi_tensor_1d(y, VDI_F64, 200));
    vdi_panel_raster(vdi_figure_panel(&f, 1, 0), vdi_tensor_2d(spikes, VDI_U8, 300, 2000));
    p = vdi_figure_panel(&f, 1, 1);
    p->diverging = true;
    p->value.label = "weight";
    vdi_panel_heatmap(p, vdi_tensor_2d(y, VDI_F64, 10, 20));
    vdi_panel_bars(vdi_figure_panel(&f, 2, 0), groups, categories, vdi_tensor_2d(y, VDI_F64, 2, 3),
                   vdi_tensor_2d(x, VDI_F64, 2, 3));
    vdi_panel_histogram(vdi_figure_panel(&f, 2, 1), "h", vdi_tensor_2d(y, VDI_F64, 10, 20), 0);
    p = vdi_figure_panel(&f, 3, 0);
    p->x.log = p->y.log = true;
    vdi_panel_line(p, vdi_figure_text(&f, "run %d", 7), vdi_tensor_1d(x, VDI_F64, 200));
    vdi_buffer b = drawn(&f);
    CHECK(strstr(b.data, "all &amp; &lt;sundry&gt;") && strstr(b.data, "a &amp; b") &&
          strstr(b.data, "&quot;quoted&quot;") && strstr(b.data, "run 7"));
    CHECK(count(b.data, "no data") == 1 && count(b.data, "<rect x=") >= 199,
          "one panel is empty, a small map is made of rectangles");
    vdi_buffer_free(&b);
    vdi_figure_free(&f);
}

/* Constant, single, empty, extreme and missing data, on both kinds of axes. */
TEST(svg, odd_data) {
    static const struct {
        int n;
        double v[3];
    } cases[] = {{0, {0}},
                 {1, {3}},
                 {1, {0}},
                 {3, {2, 2, 2}},
                 {3, {NAN, NAN, NAN}},
                 {3, {INFINITY, -INFINITY, NAN}},
                 {3, {-1e308, 0, 1e308}},
                 {3, {5e-324, 1e-320, 0}},
                 {3, {1e9, 1e9 + 1e-6, 1e9}},
                 {2, {-1, -2}},
                 {3, {1e-12, 1, 1e12}},
                 {2, {1, NAN}},
                 {3, {123456, 234567, 345678}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int log = 0; log < 2; log++) {
            vdi_figure_desc desc;
            vdi_figure f;
            int n = cases[i].n;
            double v[3], reversed[3];
            memset(&desc, 0, sizeof desc);
            desc.rows = 4;
            desc.cols = 2;
            memcpy(v, cases[i].v, sizeof v);
            for (int k = 0; k < n; k++)
                reversed[k] = v[n - 1 - k];
            vdi_tensor t = vdi_tensor_1d(v, VDI_F64, n);
            vdi_tensor u = vdi_tensor_1d(reversed, VDI_F64, n);
            vdi_tensor row = vdi_tensor_2d(v, VDI_F64, n ? 1 : 0, n);
            vdi_figure_init(&f, &desc);
            for (int k = 0; k < 8; k++) {
                vdi_panel *p = vdi_figure_panel(&f, k / 2, k % 2);
                p->x.log = p->y.log = p->value.log = log != 0;
                p->title = "odd";
            }
            vdi_panel_line(vdi_figure_panel(&f, 0, 0), "l", t);
            vdi_panel_band(vdi_figure_panel(&f, 0, 1), "b", t, u)->x = u;
            vdi_panel_scatter(vdi_figure_panel(&f, 1, 0), "s", u, t);
            vdi_panel_raster(vdi_figure_panel(&f, 1, 1), row);
            vdi_panel_heatmap(vdi_figure_panel(&f, 2, 0), row);
            vdi_panel_bars(vdi_figure_panel(&f, 2, 1), NULL, NULL, t, u);
            vdi_panel_histogram(vdi_figure_panel(&f, 3, 0), "h", t, (int)i);
            vdi_panel_rule(vdi_figure_panel(&f, 3, 1), NULL, 'y', n ? v[0] : 0);
            vdi_buffer b = drawn(&f);
            vdi_buffer_free(&b);
            vdi_figure_free(&f);
        }
    }
}

TEST(svg, long_data_stay_small) {
    unsigned long long seed = 1;
    vdi_figure f;
    for (int i = 0; i < N; i++) {
        x[i] = test_normal(&seed);
        y[i] = test_normal(&seed);
        low[i] = y[i] - 1;
        high[i] = y[i] + 1;
    }
    y[31234] = 1000; /* one sample in 100,000 */
    for (size_t i = 0; i < sizeof spikes; i++)
        spikes[i] = test_uniform(&seed) < 0.2;
    for (int kind = 0; kind < 6; kind++) {
        vdi_figure_init(&f, NULL);
        vdi_panel *p = vdi_figure_panel(&f, 0, 0);
        vdi_tensor t = vdi_tensor_1d(y, VDI_F64, N);
        if (kind == 0) vdi_panel_line(p, NULL, t);
        if (kind == 1) {
            vdi_panel_band(p, NULL, vdi_tensor_1d(low, VDI_F64, N),
                           vdi_tensor_1d(high, VDI_F64, N));
        }
        if (kind == 2) {
            vdi_panel_scatter(p, NULL, vdi_tensor_1d(x, VDI_F64, N),
                              vdi_tensor_1d(low, VDI_F64, N));
        }
        if (kind == 3) vdi_panel_raster(p, vdi_tensor_2d(spikes, VDI_U8, 300, 2000));
        if (kind == 4) vdi_panel_heatmap(p, vdi_tensor_2d(x, VDI_F64, 100, 1000));
        if (kind == 5) vdi_panel_histogram(p, NULL, t, 0);
        vdi_buffer b = drawn(&f);
        CHECK(b.size < (kind == 2 ? 800000u : 250000u), "kind %d: %zu bytes", kind, b.size);
        if (kind == 0) {
            /* the spike of 1000 still reaches its height, a twentieth of the axis below the top */
            double top = 1e9;
            for (const char *q = strstr(b.data, " d=\"M"); q && *q != '>'; q++)
                if (*q == 'L') top = fmin(top, atof(strchr(q, ' ')));
            CHECK(top > 0 && top < 9, "the peak stands at %g of 170 pixels", top);
        }
        vdi_buffer_free(&b);
        vdi_figure_free(&f);
    }
}

/* The points of the path that `mark` leads to, and where the text goes on. */
enum { POINTS = 64 };
static const char *points_after(const char *text, const char *mark, double (*at)[2], int *n) {
    *n = 0;
    const char *q = text ? strstr(text, mark) : NULL;
    q = q ? strstr(q, " d=\"") : NULL;
    if (!q) return NULL;
    for (q += 4; *q && *q != '"';) {
        char *end;
        if (*q != 'M' && *q != 'L') {
            q++;
            continue;
        }
        if (*n == POINTS) return NULL;
        at[*n][0] = strtod(q + 1, &end);
        at[(*n)++][1] = strtod(*end == ',' ? end + 1 : end, &end);
        q = end;
    }
    return q;
}

/* A series that names its colour has it, and a category is the one of that number. */
TEST(svg, colours_by_name) {
    static const vdi_color color[4] = {VDI_COLOR_INK, VDI_COLOR_GREY, VDI_COLOR_BLUE,
                                       VDI_COLOR_AUTO};
    char stroke[4][40];
    for (int i = 0; i < 4; i++) {
        vdi_figure f;
        for (int k = 0; k < 3; k++)
            y[k] = k;
        vdi_figure_init(&f, NULL);
        vdi_panel_line(vdi_figure_panel(&f, 0, 0), "line", vdi_tensor_1d(y, VDI_F64, 3))->color =
            color[i];
        vdi_buffer b = drawn(&f);
        const char *q = strstr(b.data, "stroke-width=\"1.6\"");
        while (q && q > b.data && strncmp(q, "stroke=\"", 8) != 0)
            q--;
        CHECK(q && q > b.data, "a line has a colour");
        CHECK(!strstr(b.data, "<image"), "a line in one colour needs no bar of colours");
        snprintf(stroke[i], sizeof stroke[i], "%.30s", q && q > b.data ? q + 8 : "");
        vdi_buffer_free(&b);
        vdi_figure_free(&f);
    }
    CHECK(!strncmp(stroke[0], "currentColor\"", 13), "%s", stroke[0]);
    CHECK(!strncmp(stroke[1], "#888\"", 5), "%s", stroke[1]);
    CHECK(stroke[2][0] == '#' && !strncmp(stroke[2], stroke[3], 7), "%s and %s", stroke[2],
          stroke[3]);
}

/* Bars stand on zero and are as high as their values; whiskers reach from value - error to value +
 * error above their middle; nothing is drawn for what is missing. */
TEST(svg, bars_by_value) {
    static const double value[2][3] = {{1, 2, -1}, {3, 0.5, NAN}}, error = 0.25;
    double bar[POINTS][2], whisker[POINTS][2], unit = 0, zero = 0, last = -1;
    vdi_figure f;
    int n, m;
    for (int i = 0; i < 6; i++) {
        y[i] = value[i / 3][i % 3];
        low[i] = error;
    }
    vdi_figure_init(&f, NULL);
    vdi_panel_bars(vdi_figure_panel(&f, 0, 0), NULL, NULL, vdi_tensor_2d(y, VDI_F64, 2, 3),
                   vdi_tensor_2d(low, VDI_F64, 2, 3));
    vdi_buffer b = drawn(&f);
    const char *text = b.data;
    for (int g = 0; g < 2; g++) {
        const int count = g ? 2 : 3;
        text = points_after(text, "opacity=\"0.9\"", bar, &n);
        CHECK(text && n == 4 * count, "group %d has %d points", g, n);
        text = points_after(text, "<path fill=\"none\" stroke=\"currentColor\" stroke-width=\"1\"",
                            whisker, &m);
        CHECK(text && m == 2 * count, "group %d has %d ends of whiskers", g, m);
        if (!text || n != 4 * count || m != 2 * count) break;
        if (!g) {
            zero = bar[0][1];
            unit = bar[0][1] - bar[1][1]; /* the first bar is 1 high */
        }
        CHECK(unit > 10, "a unit is %g pixels", unit);
        for (int k = 0; k < count; k++) {
            double(*p)[2] = bar + 4 * k;
            CHECK_CLOSE(p[0][1], zero, 0.02);
            CHECK_CLOSE(p[3][1], zero, 0.02);
            CHECK_CLOSE((zero - p[1][1]) / unit, value[g][k], 0.02);
            CHECK_CLOSE(p[2][1], p[1][1], 0);
            CHECK(p[0][0] == p[1][0] && p[2][0] == p[3][0] && p[2][0] > p[0][0] + 5);
            CHECK(k == 0 || p[0][0] > p[-1][0], "bars of a group overlap");
            CHECK_CLOSE((zero - whisker[2 * k][1]) / unit, value[g][k] - error, 0.02);
            CHECK_CLOSE((zero - whisker[2 * k + 1][1]) / unit, value[g][k] + error, 0.02);
            CHECK_CLOSE(whisker[2 * k][0], (p[0][0] + p[2][0]) / 2, 0.3);
            CHECK(whisker[2 * k][0] == whisker[2 * k + 1][0]);
        }
        const double wide = bar[2][0] - bar[0][0];
        if (g) CHECK(bar[0][0] >= last && bar[0][0] < last + 0.1 * wide, "%g, %g", bar[0][0], last);
        last = bar[2][0]; /* where the second group's first bar may begin */
    }
    vdi_buffer_free(&b);
    vdi_figure_free(&f);
}

/* Numbers stand at round values, in halves where values lie close, not between whole ones; a label
 * stands at the middle of its axis. */
TEST(svg, axes_by_value) {
    vdi_figure f;
    vdi_figure_init(&f, NULL);
    for (int i = 0; i < 3; i++) {
        x[i] = 1000 * i;
        y[i] = 0.25 * i;
    }
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->x.label = "along";
    vdi_panel_line(p, NULL, vdi_tensor_1d(y, VDI_F64, 3))->x = vdi_tensor_1d(x, VDI_F64, 3);
    vdi_buffer b = drawn(&f);
    CHECK(strstr(b.data, ">0.2<") && strstr(b.data, ">0.4<") && strstr(b.data, ">1000<") &&
              !strstr(b.data, ">999<") && count(b.data, "<text") < 20,
          "%s", b.data);
    double at[3] = {0, 0, 0}; /* of the first and the last number, and of the label */
    static const char *const text[3] = {">0<", ">2000<", ">along<"};
    for (int i = 0; i < 3; i++) {
        const char *q = strstr(b.data, text[i]);
        while (q && q > b.data && strncmp(q, "<text", 5) != 0)
            q--;
        q = q ? strstr(q, " x=\"") : NULL;
        CHECK(q != NULL, "%s", text[i]);
        if (q) at[i] = strtod(q + 4, NULL);
    }
    CHECK(at[1] > at[0] + 100);
    CHECK_CLOSE(at[2], (at[0] + at[1]) / 2, 0.03 * (at[1] - at[0]));
    vdi_buffer_free(&b);
    vdi_figure_free(&f);
}

/* As many bins as were asked for, or one for each whole number, as high as they are full. */
TEST(svg, histograms_by_value) {
    static const double whole[6] = {0, 2, 2, 1, 0, 2}, real[7] = {0, 0.1, 1.5, 3.9, 3.2, 3.6, 4};
    static const double hits[3][4] = {{2, 1, 3, 0}, {2, 1, 0, 4}, {7, 0, 0, 0}};
    for (int kind = 0; kind < 3; kind++) {
        const int bins = kind == 0 ? 3 : kind == 1 ? 4 : 1;
        double p[POINTS][2];
        vdi_figure f;
        int n;
        memcpy(y, kind ? real : whole, (kind ? 7 : 6) * sizeof *y);
        vdi_figure_init(&f, NULL);
        vdi_panel_histogram(vdi_figure_panel(&f, 0, 0), NULL,
                            vdi_tensor_1d(y, VDI_F64, kind ? 7 : 6), kind ? bins : 0);
        vdi_buffer b = drawn(&f);
        const char *found = points_after(b.data, "fill-opacity=\"0.45\"", p, &n);
        CHECK(found && n == 2 * bins + 2, "%d points", n);
        const double unit = (p[0][1] - p[1][1]) / hits[kind][0], width = p[2][0] - p[1][0];
        CHECK(unit > 5 && width > 20, "a hit is %g pixels high, a bin %g wide", unit, width);
        for (int i = 0; i < bins; i++) {
            CHECK_CLOSE(p[0][1] - p[2 * i + 1][1], hits[kind][i] * unit, 0.21);
            CHECK_CLOSE(p[2 * i + 2][1], p[2 * i + 1][1], 0);
            CHECK_CLOSE(p[2 * i + 2][0] - p[2 * i + 1][0], width, 0.21);
        }
        CHECK_CLOSE(p[2 * bins + 1][1], p[0][1], 0);
        vdi_buffer_free(&b);
        vdi_figure_free(&f);
    }
}

TEST(svg, what_does_not_fit) {
    vdi_figure f;
    vdi_error err;
    vdi_writer w;
    for (int i = -1; i < 7; i++) {
        size_t capacity = i == 6 ? 5000 : 1000000;
        vdi_figure_init(&f, NULL);
        vdi_panel *p = vdi_figure_panel(&f, i == 5 ? 1 : 0, 0);
        vdi_tensor three = vdi_tensor_1d(y, VDI_F64, 3), two = vdi_tensor_1d(y, VDI_F64, 2);
        if (i < 0) vdi_panel_line(p, "line", three)->by = two;
        if (i == 0) vdi_panel_line(p, "line", vdi_tensor_2d(y, VDI_F64, 1, 3));
        if (i == 1) vdi_panel_line(p, "line", three)->x = two;
        if (i == 2) vdi_panel_band(p, "band", three, two);
        if (i == 3) vdi_panel_heatmap(p, three);
        if (i == 4) vdi_panel_bars(p, NULL, NULL, three, two);
        if (i >= 5) vdi_panel_line(p, "line", three);
        vdi_writer_init(&w, full_write, &capacity, "f.svg");
        if (i == 6) capacity = 100;
        CHECK_FAILS(vdi_svg_write(&w, &f, false, &err), i < 5    ? VDI_ERR_SHAPE
                                                        : i == 5 ? VDI_ERR_ARGUMENT
                                                                 : VDI_ERR_IO);
        CHECK_SAYS(err, "f.svg");
        vdi_figure_free(&f);
    }
    for (long fail = 1; fail < 40; fail++) {
        test_allocator counter = {0, fail, 0, 1};
        vdi_figure_desc desc;
        size_t capacity = 10000000;
        memset(&desc, 0, sizeof desc);
        desc.allocator = test_allocator_of(&counter);
        vdi_figure_init(&f, &desc);
        for (int i = 0; i < 100; i++) {
            vdi_panel_line(vdi_figure_panel(&f, 0, 0), vdi_figure_text(&f, "%d", i),
                           vdi_tensor_1d(y, VDI_F64, 3))
                ->width = 2;
        }
        vdi_writer_init(&w, full_write, &capacity, "f.svg");
        vdi_status status = vdi_svg_write(&w, &f, false, &err);
        vdi_figure_free(&f);
        CHECK(counter.live == 0);
        CHECK(status == (counter.requests < fail ? VDI_OK : VDI_ERR_MEMORY));
        if (status == VDI_OK) break;
    }
}

/* A line whose colour runs with time: one path for each colour, a gap where a point or a value is
 * missing, and a scale beside it. */
TEST(svg, colours_by_value) {
    vdi_figure f;
    vdi_figure_init(&f, NULL);
    for (int i = 0; i < 100; i++) {
        x[i] = cos(0.1 * i);
        y[i] = sin(0.1 * i);
        low[i] = i;
    }
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->value.label = "time (s)";
    vdi_series *s = vdi_panel_line(p, NULL, vdi_tensor_1d(y, VDI_F64, 100));
    s->x = vdi_tensor_1d(x, VDI_F64, 100);
    s->by = vdi_tensor_1d(low, VDI_F64, 100);
    vdi_buffer b = drawn(&f);
    CHECK(count(b.data, "<path stroke=\"rgb(") == 63 && strstr(b.data, "time (s)") &&
          count(b.data, "<image") == 1);
    vdi_buffer_free(&b);
    y[50] = NAN;
    low[70] = NAN;
    vdi_panel_scatter(p, NULL, s->x, s->y)->by = s->by;
    b = drawn(&f);
    CHECK(count(b.data, "<path stroke=\"rgb(") > 63 + 60 && !strstr(b.data, "nan"));
    vdi_buffer_free(&b);
    vdi_figure_free(&f);
}

/* OKLab of an sRGB colour, by Ottosson's forward formula. */
static void oklab(vdi_rgb c, double lab[3]) {
    double v[3] = {c.r / 255.0, c.g / 255.0, c.b / 255.0};
    for (int i = 0; i < 3; i++)
        v[i] = v[i] <= 0.04045 ? v[i] / 12.92 : pow((v[i] + 0.055) / 1.055, 2.4);
    double l = cbrt(0.4122214708 * v[0] + 0.5363325363 * v[1] + 0.0514459929 * v[2]);
    double m = cbrt(0.2119034982 * v[0] + 0.6806995451 * v[1] + 0.1073969566 * v[2]);
    double s = cbrt(0.0883024619 * v[0] + 0.2817188376 * v[1] + 0.6299787005 * v[2]);
    lab[0] = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
    lab[1] = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s;
    lab[2] = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s;
}

TEST(svg, colours) {
    double least = 1, most = 0, a[3], b[3];
    oklab(vdi_color_sequential(0), a);
    for (int i = 1; i <= 16; i++) {
        oklab(vdi_color_sequential(i / 16.0), b);
        double d = sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
                        (a[2] - b[2]) * (a[2] - b[2]));
        least = fmin(least, d);
        most = fmax(most, d);
        CHECK_CLOSE(b[0], 0.97 - 0.74 * i / 16, 0.006);
        memcpy(a, b, sizeof a);
    }
    CHECK(most / least < 1.15, "steps of the scale differ by %g (bytes round)", most / least);
    for (int i = 0; i <= 10; i++) { /* equally light on both sides of zero */
        oklab(vdi_color_diverging(i / 10.0), a);
        oklab(vdi_color_diverging(-i / 10.0), b);
        CHECK_CLOSE(a[0], b[0], 0.01);
    }
    for (int i = 0; i < VDI_COLOR_CATEGORIES; i++) {
        for (int k = 0; k < i; k++) {
            oklab(vdi_color_category(i), a);
            oklab(vdi_color_category(k), b);
            CHECK(fabs(a[0] - b[0]) + fabs(a[1] - b[1]) + fabs(a[2] - b[2]) > 0.1,
                  "%d and %d look alike", i, k);
        }
    }
    vdi_rgb nan = vdi_color_sequential(NAN), zero = vdi_color_sequential(-3);
    CHECK(nan.r == zero.r && nan.g == zero.g);
    vdi_rgb before = vdi_color_category(-1), last = vdi_color_category(VDI_COLOR_CATEGORIES - 1);
    CHECK(before.r == last.r && before.g == last.g && before.b == last.b);
}

/* The corners of sRGB in OKLab, and a chroma that no screen has. */
TEST(svg, oklch) {
    static const struct {
        double lightness, chroma, hue;
        int r, g, b;
    } rows[] = {{1, 0, 0, 255, 255, 255},
                {0, 0, 123, 0, 0, 0},
                {0.5998708, 0, 0, 128, 128, 128},
                {0.6279554, 0.2576833, 29.2338803, 255, 0, 0},
                {0.8664396, 0.2948272, 142.4953450, 0, 255, 0},
                {0.4520137, 0.3132144, 264.0520210, 0, 0, 255}};
    for (size_t i = 0; i < VDI__COUNT(rows); i++) {
        const vdi_rgb c = vdi_color_oklch(rows[i].lightness, rows[i].chroma, rows[i].hue);
        CHECK(abs(c.r - rows[i].r) <= 1 && abs(c.g - rows[i].g) <= 1 && abs(c.b - rows[i].b) <= 1,
              "row %zu is %d %d %d", i, c.r, c.g, c.b);
    }
    double a[3];
    oklab(vdi_color_oklch(0.7, 0.4, 200), a);
    CHECK_CLOSE(a[0], 0.7, 0.01);
    CHECK_CLOSE(atan2(a[2], a[1]) * 180 / VDI_PI + 360, 200, 4);
}

/* The PNG that maps are drawn with, unpacked by the inflate of the archives. */
TEST(svg, png) {
    vdi_png png;
    vdi_rgb palette[255];
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    uint8_t row[300];
    for (int i = 0; i < 255; i++) {
        palette[i].r = (unsigned char)(i + 1);
        palette[i].g = (unsigned char)(255 - i);
        palette[i].b = (unsigned char)(i ^ 90);
    }
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    vdi_png_begin(&png, &w, 300, 5, palette, false);
    for (int i = 0; i < 5; i++) {
        memset(row, i * 50, sizeof row);
        vdi_png_row(&png, row);
    }
    CHECK_OK(vdi_writer_flush(&w, &err), err);
    const unsigned char *p = (const unsigned char *)b.data, *end = p + b.size;
    CHECK(memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0);
    int chunks = 0;
    for (p += 8; p + 12 <= end; chunks++) {
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (n + 12 > (size_t)(end - p)) break;
        uint32_t crc = (uint32_t)p[8 + n] << 24 | (uint32_t)p[9 + n] << 16 |
                       (uint32_t)p[10 + n] << 8 | p[11 + n];
        CHECK(vdi_crc32(0, p + 4, n + 4) == crc, "CRC of chunk %d", chunks);
        if (memcmp(p + 4, "PLTE", 4) == 0) {
            CHECK(n == 3 * 256, "%zu bytes of colours", n);
            for (int i = 0; i < 255; i++) {
                CHECK(p[8 + 3 * i] == i + 1 && p[9 + 3 * i] == 255 - i && p[10 + 3 * i] == (i ^ 90),
                      "colour %d", i);
            }
        }
        if (memcmp(p + 4, "IDAT", 4) == 0) {
            uint32_t s = 1, t = 0;
            const unsigned char *data = p + 10;
            for (int i = 0; i < 5; i++, data += 306) {
                CHECK(data[0] == (i == 4) && data[1] + 256 * data[2] == 301 &&
                      data[3] + data[1] == 255 && data[5] == 0 && data[6] == i * 50);
                for (int k = 0; k < 301; k++) {
                    s = (s + data[5 + k]) % 65521;
                    t = (t + s) % 65521;
                }
            }
            CHECK(data + 4 == p + 8 + n && data[3] == (unsigned char)s &&
                      data[0] == (unsigned char)(t >> 8),
                  "Adler-32");
        }
        p += 12 + n;
    }
    CHECK(chunks == 5 && p == end);
    vdi_buffer_free(&b);
}

/* Names come from files and users: none ends an element, an attribute or the file. */
TEST(svg, hostile_names) {
    static const char evil[] =
        "\"/></text><script>alert('x')</script>&amp;\x01\xFF\xEF\xBF\xBE\xC3";
    const char *const words[2] = {evil, evil};
    static double two[4] = {1, 2, 3, 4};
    vdi_figure_desc desc = VDI__ZERO;
    vdi_figure f;
    desc.title = evil;
    desc.rows = 2;
    vdi_figure_init(&f, &desc);
    for (int i = 0; i < 2; i++) {
        vdi_panel *p = vdi_figure_panel(&f, i, 0);
        p->title = p->x.label = p->y.label = p->value.label = evil;
        vdi_tensor none = VDI__ZERO;
        if (i) {
            vdi_panel_bars(p, words, words, vdi_tensor_2d(two, VDI_F64, 2, 2), none);
            continue;
        }
        vdi_panel_line(p, evil, vdi_tensor_1d(two, VDI_F64, 4))->by =
            vdi_tensor_1d(two, VDI_F64, 4);
        vdi_panel_scatter(p, evil, vdi_tensor_1d(two, VDI_F64, 4), vdi_tensor_1d(two, VDI_F64, 4));
        vdi_panel_histogram(p, evil, vdi_tensor_1d(two, VDI_F64, 4), 0);
        vdi_panel_rule(p, evil, 'x', 2);
    }
    vdi_buffer b = drawn(&f); /* which looks for well-formed elements */
    const size_t n = count(b.data, "&lt;script&gt;alert('x')&lt;/script&gt;&amp;amp;");
    CHECK(n >= 14, "%zu", n);
    CHECK(count(b.data, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD") == n);
    CHECK(count(b.data, "<script") == 0 && count(b.data, "\xEF\xBF\xBE") == 0);
    for (const char *c = b.data; *c; c++)
        CHECK((unsigned char)*c >= 32 || *c == '\n', "control character %d", *c);
    vdi_buffer_free(&b);
    vdi_figure_free(&f);
}

TEST(svg, pictures_that_cannot_be) {
    static const int size[][2] = {{0, 1},
                                  {1, 0},
                                  {-1, 1},
                                  {32768, 1},
                                  {32767, 70000},
                                  {INT_MAX, INT_MAX},
                                  {INT_MIN, INT_MIN}};
    static vdi_rgb palette[255];
    uint8_t row[1] = {0};
    for (size_t i = 0; i < VDI__COUNT(size); i++) {
        vdi_buffer b;
        vdi_writer w;
        vdi_png png;
        vdi_error err;
        vdi_buffer_init(&b, NULL);
        vdi_writer_to_buffer(&w, &b);
        vdi_png_begin(&png, &w, size[i][0], size[i][1], palette, i % 2);
        vdi_png_row(&png, row);
        CHECK_FAILS(vdi_writer_flush(&w, &err), VDI_ERR_IO);
        CHECK(b.size == 0);
        vdi_buffer_free(&b);
    }
}

TEST(svg, files) {
    static double y[3] = {1, 3, 2};
    const char *path = scratch_path("figure.svg");
    vdi_figure f;
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    char text[8192];
    vdi_figure_init(&f, NULL);
    (void)vdi_panel_line(vdi_figure_panel(&f, 0, 0), "y", vdi_tensor_1d(y, VDI_F64, 3));
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    CHECK_OK(vdi_svg_write(&w, &f, false, &err), err);
    CHECK_OK(vdi_svg_save(path, &f, &err), err);
    FILE *file = fopen(path, "rb");
    CHECK(file && b.size < sizeof text);
    CHECK(fread(text, 1, sizeof text, file) == b.size && memcmp(text, b.data, b.size) == 0);
    fclose(file);
    remove(path);
    CHECK_FAILS(vdi_svg_save("", &f, &err), VDI_ERR_IO);
    (void)vdi_figure_panel(&f, 1, 0);
    CHECK_FAILS(vdi_svg_save(path, &f, &err), VDI_ERR_ARGUMENT);
    remove(path);
    vdi_figure_free(&f);
    vdi_buffer_free(&b);
}
