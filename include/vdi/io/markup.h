/* io/markup.h - writing XML: numbers, attributes, escaped text, images
 *
 * What SVG (io/svg.h) and HTML (io/html.h) are written with. There is no public part.
 */
#ifndef VDI_IO_MARKUP_H
#define VDI_IO_MARKUP_H
#include "png.h"
#include "stream.h"

#endif /* VDI_IO_MARKUP_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_MARKUP_C)
#define VDI_IO_MARKUP_C

#define VDI__TICK_FONT 11.0
#define VDI__LABEL_FONT 12.0

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
#endif
