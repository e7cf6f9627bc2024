/* io/png.h - pictures of up to 255 colours as PNG, row by row
 *
 * Do this:
 *     vdi_png png;
 *     vdi_png_begin(&png, &writer, 320, 200, palette, false);        palette: 255 colours
 *     for (int i = 0; i < 200; i++) vdi_png_row(&png, row);          320 indices; 255 is clear
 *     if (vdi_writer_flush(&writer, &err) < 0) puts(err.message);
 *
 * Source: W3C PNG specification, third edition. Data are stored, not packed: a byte a pixel.
 * Memory: 10 KiB in vdi_png itself.
 * Does NOT: read, true colour, more than 32767 pixels a row. Errors: those of the writer.
 */
#ifndef VDI_IO_PNG_H
#define VDI_IO_PNG_H
#include "color.h"
#include "crc32.h"
#include "stream.h"

/** A picture being written. Treat the members as private. */
typedef struct vdi_png {
    vdi_writer *w;
    int cols, rows, row;
    bool base64, wrong; /* wrong: there is no picture of that size */
    vdi__crc crc;       /* of the chunk */
    uint32_t a, b;      /* Adler-32 of the data */
    uint8_t rest[3];    /* bytes that do not make a group of base64 yet */
    int held;
} vdi_png;

/** Start a picture of `cols` x `rows` (at least 1, cols up to 32767, 2 GiB in all; else the writer
 * fails). `palette` has 255 colours; index 255 is transparent. `base64`: for a data URL. */
VDI_API void vdi_png_begin(vdi_png *p, vdi_writer *w, int cols, int rows, const vdi_rgb *palette,
                           bool base64);
/** The next row, `cols` indices; the last one ends the picture. */
VDI_API void vdi_png_row(vdi_png *p, const uint8_t *row);

#endif /* VDI_IO_PNG_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_PNG_C)
#define VDI_IO_PNG_C

VDI__FN void vdi__base64(vdi_png *p, const uint8_t *data, size_t n, bool last) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n || (last && p->held);) {
        char out[4];
        while (p->held < 3 && i < n)
            p->rest[p->held++] = data[i++];
        int have = p->held;
        if (have < 3 && !last) return;
        while (p->held < 3)
            p->rest[p->held++] = 0;
        out[0] = digit[p->rest[0] >> 2];
        out[1] = digit[(p->rest[0] & 3) << 4 | p->rest[1] >> 4];
        out[2] = have > 1 ? digit[(p->rest[1] & 15) << 2 | p->rest[2] >> 6] : '=';
        out[3] = have > 2 ? digit[p->rest[2] & 63] : '=';
        vdi_write(p->w, out, 4);
        p->held = 0;
    }
}

VDI__FN void vdi__png_put(vdi_png *p, const void *data, size_t n) {
    vdi__crc_add(&p->crc, data, n);
    if (p->base64)
        vdi__base64(p, (const uint8_t *)data, n, false);
    else
        vdi_write(p->w, data, n);
}

/* PNG's numbers are big-endian. */
VDI__FN void vdi__png_number(vdi_png *p, uint32_t x) {
    uint8_t b[4];
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(x >> (24 - 8 * i));
    vdi__png_put(p, b, 4);
}

VDI__FN void vdi__png_chunk(vdi_png *p, const char *name, size_t size) {
    vdi__png_number(p, (uint32_t)size);
    p->crc.value = 0;
    vdi__png_put(p, name, 4);
}

VDI__DEF void vdi_png_begin(vdi_png *p, vdi_writer *w, int cols, int rows, const vdi_rgb *palette,
                            bool base64) {
    /* bits, colour type, compression, filter, interlace */
    static const uint8_t indexed[5] = {8, 3, 0, 0, 0};
    uint8_t colors[768], clear[256];
    const int64_t size = 2 + (int64_t)rows * (6 + (int64_t)cols) + 4;
    p->w = w;
    p->wrong = cols < 1 || cols > 32767 || rows < 1 || size > INT32_MAX;
    p->cols = cols;
    p->rows = rows;
    p->row = 0;
    p->base64 = base64;
    p->a = 1;
    p->b = 0;
    p->held = 0;
    vdi__crc_begin(&p->crc);
    if (p->wrong) {
        w->failed = true;
        return;
    }
    memset(colors, 0, sizeof colors);
    memset(clear, 255, sizeof clear);
    clear[255] = 0;
    for (int i = 0; i < 255; i++) {
        colors[3 * i] = palette[i].r;
        colors[3 * i + 1] = palette[i].g;
        colors[3 * i + 2] = palette[i].b;
    }
    vdi__png_put(p, "\x89PNG\r\n\x1a\n", 8);
    vdi__png_chunk(p, "IHDR", 13);
    vdi__png_number(p, (uint32_t)cols);
    vdi__png_number(p, (uint32_t)rows);
    vdi__png_put(p, indexed, 5);
    vdi__png_number(p, p->crc.value);
    vdi__png_chunk(p, "PLTE", sizeof colors);
    vdi__png_put(p, colors, sizeof colors);
    vdi__png_number(p, p->crc.value);
    vdi__png_chunk(p, "tRNS", sizeof clear);
    vdi__png_put(p, clear, sizeof clear);
    vdi__png_number(p, p->crc.value);
    vdi__png_chunk(p, "IDAT", (size_t)size);
    vdi__png_put(p, "\x78\x01", 2); /* zlib, 32 KiB window, no dictionary */
}

VDI__DEF void vdi_png_row(vdi_png *p, const uint8_t *row) {
    /* a stored block: last, length, its inverse; then filter 0 */
    uint8_t head[6] = {0, 0, 0, 0, 0, 0};
    if (p->wrong || p->row == p->rows) return;
    bool last = ++p->row == p->rows;
    head[0] = last;
    vdi__put_le(head + 1, (uint64_t)p->cols + 1, 2);
    vdi__put_le(head + 3, ~((uint64_t)p->cols + 1), 2);
    vdi__png_put(p, head, 6);
    vdi__png_put(p, row, (size_t)p->cols);
    p->b = (p->b + p->a) % 65521; /* of the filter byte, a zero */
    for (int i = 0; i < p->cols; i++) {
        p->a = (p->a + row[i]) % 65521;
        p->b = (p->b + p->a) % 65521;
    }
    if (!last) return;
    vdi__png_number(p, p->b << 16 | p->a);
    vdi__png_number(p, p->crc.value);
    vdi__png_chunk(p, "IEND", 0);
    vdi__png_number(p, p->crc.value);
    if (p->base64) vdi__base64(p, NULL, 0, true);
}
#endif
