/* tests/fuzz/figure.c - figures and pages of any numbers and names: the output is well-formed
 *
 * The bytes are read as options, numbers of any bit pattern, and names. A figure is drawn or
 * refused;
 * a page made of it ends every tag it begins and holds no number that is none.
 */
#define VDI_IO_IMPLEMENTATION
#define VDI_STATIC
#include "vdi.h"

#include "bytes.h"

static double number(bytes *b) {
    uint8_t raw[8];
    double x;
    const unsigned kind = take(b);
    if (kind < 128) return (double)kind - 64;
    for (int i = 0; i < 8; i++)
        raw[i] = (uint8_t)take(b);
    memcpy(&x, raw, sizeof x);
    return x;
}
static const char *name(bytes *b, char text[16]) {
    const unsigned n = take(b) % 15;
    for (unsigned i = 0; i < n; i++)
        text[i] = (char)take(b);
    text[n] = 0;
    return n ? text : NULL;
}

enum { NUMBERS = 48 };
static void add_series(bytes *b, vdi_panel *p, double *values, char text[16]) {
    static const char *const groups[7] = {"one", NULL, "three <&>", "four", "", "six", "seven"};
    for (int i = 0; i < NUMBERS; i++)
        values[i] = number(b);
    const int64_t n = take(b) % (NUMBERS / 2 + 1);
    const vdi_tensor y = vdi_tensor_1d(values, VDI_F64, n);
    const vdi_tensor x = vdi_tensor_1d(values + NUMBERS / 2, VDI_F64, n);
    const vdi_tensor map = vdi_tensor_2d(values, VDI_F64, n % 7, NUMBERS / 7);
    vdi_series *s = NULL;
    switch (take(b) % 8) {
    case 0: s = vdi_panel_line(p, name(b, text), y); break;
    case 1: s = vdi_panel_band(p, name(b, text), y, x); break;
    case 2: s = vdi_panel_scatter(p, name(b, text), x, y); break;
    case 3: s = vdi_panel_raster(p, map); break;
    case 4: s = vdi_panel_heatmap(p, map); break;
    case 5: s = vdi_panel_bars(p, NULL, groups, map, map); break;
    case 6: s = vdi_panel_histogram(p, name(b, text), y, (int)take(b) - 20); break;
    default: s = vdi_panel_rule(p, name(b, text), take(b) & 1 ? 'x' : 'y', number(b));
    }
    s->color = (vdi_color)(take(b) % 9);
    s->width = number(b);
    s->opacity = number(b);
    if (take(b) & 1) s->by = x;
}

static void options(bytes *b, vdi_panel *p) {
    vdi_axis *axis[3] = {&p->x, &p->y, &p->value};
    const unsigned bits = take(b);
    p->x.log = bits & 1;
    p->y.log = (bits & 2) != 0;
    p->value.log = (bits & 4) != 0;
    p->diverging = (bits & 8) != 0;
    for (int i = 0; i < 3; i++) {
        axis[i]->has_limits = bits >> (4 + i) & 1;
        axis[i]->low = number(b);
        axis[i]->high = number(b);
    }
    p->x0 = number(b);
    p->dx = number(b);
    p->y0 = number(b);
    p->dy = number(b);
    p->height = number(b);
}

static bool holds(const char *from, const char *end, const char *what) {
    const char *at = strstr(from, what);
    return at && at < end;
}

/* Every tag ends, tags are nested, and the numbers in them are numbers. */
static void well_formed(const char *s, size_t n) {
    int depth = 0;
    if (strlen(s) != n || !vdi__utf8_valid(s)) abort();
    for (const char *at = s; (at = strchr(at, '<')) != NULL; at++) {
        const char *end = strchr(at, '>');
        if (!end || memchr(at + 1, '<', (size_t)(end - at - 1))) abort();
        if (at[1] == '/')
            depth--;
        else if (end[-1] != '/')
            depth++;
        if (depth < 0) abort();
        if (strncmp(at, "<image", 6) == 0) continue; /* letters of any kind */
        if (holds(at, end, "\"nan") || holds(at, end, " nan") || holds(at, end, "inf")) abort();
    }
    if (depth != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static double values[4][NUMBERS];
    static char text[6][16];
    bytes b = {data, size};
    vdi_figure f;
    vdi_figure_desc d = vdi_figure_desc_defaults();
    vdi_buffer out;
    vdi_writer w;
    vdi_error err;
    d.title = name(&b, text[0]);
    d.width = number(&b);
    d.height = number(&b);
    vdi_figure_init(&f, &d);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->title = name(&b, text[1]);
    options(&b, p);
    for (int i = 0; i < 4 && b.left; i++)
        add_series(&b, p, values[i], text[2 + i]);
    vdi_buffer_init(&out, NULL);
    vdi_writer_to_buffer(&w, &out);
    const vdi_status status = vdi_svg_write(&w, &f, true, &err);
    if (status >= 0) {
        vdi_write(&w, "", 1);
        (void)vdi_writer_flush(&w, NULL);
        well_formed(out.data, out.size - 1);
    } else if (!err.message[0]) {
        abort();
    }
    vdi_buffer_free(&out);
    vdi_figure_free(&f);
    return 0;
}
