/* io/html.h - a page in one file: text, tables and figures, without anything from elsewhere
 *
 * Do this:
 *     vdi_writer w;
 *     if (vdi_writer_open(&w, "report.html", &err) < 0) puts(err.message);
 *     vdi_page page;
 *     vdi_page_begin(&page, &w, "Fit of run 7");
 *     vdi_page_text(&page, "The bound rose for 200 steps.");
 *     vdi_page_figure(&page, &figure, "Bound by step.");
 *     vdi_page_table(&page, head, 2, cells, 3);                     3 rows of 2 strings
 *     if (vdi_page_end(&page, &err) < 0) puts(err.message);
 *     if (vdi_writer_close(&w, &err) < 0) puts(err.message);
 *
 * The page opens from a disk, follows the light or dark setting of the system, prints well, and
 * fits a phone. Every text is escaped; vdi_page_raw and vdi_page_script insert markup and code
 * unescaped. vdi_page_data_begin gives a JSON writer whose text a script of the page reads with
 * JSON.parse(document.getElementById(id).textContent).
 * Memory: none of its own. Errors: the first one, returned by vdi_page_end.
 */
#ifndef VDI_IO_HTML_H
#define VDI_IO_HTML_H
#include "binary.h"
#include "figure.h"
#include "figure_scale.h"
#include "json.h"
#include "markup.h"
#include "stream.h"
#include "svg.h"

/** A page being written. Treat the members as private. */
typedef struct vdi_page {
    vdi_writer *out;
    vdi_status status;
    vdi_error error;
} vdi_page;

/** Start the page with its title. */
VDI_API void vdi_page_begin(vdi_page *p, vdi_writer *out, const char *title);
/** A heading of level 2 (a section) or 3. */
VDI_API void vdi_page_heading(vdi_page *p, int level, const char *text);
/** A paragraph. */
VDI_API void vdi_page_text(vdi_page *p, const char *text);
/** A table: `cols` heads, then `rows` x `cols` cells, row by row. Cells that begin like a number
 * are set to the right; NULL is empty. */
VDI_API void vdi_page_table(vdi_page *p, const char *const *head, int cols,
                            const char *const *cells, int rows);
/** A table of numbers (rows,cols), each column to as many decimals as its largest needs for
 * `digits` (1 to 17) significant digits; `row_names`
 *  (rows of them, or NULL) make a first column with an empty head. NaN is a dash. */
VDI_API void vdi_page_numbers(vdi_page *p, const char *const *head, const char *const *row_names,
                              vdi_tensor values, int digits);
/** A figure and its caption (or NULL). */
VDI_API void vdi_page_figure(vdi_page *p, vdi_figure *f, const char *caption);
/** Markup as it is. */
VDI_API void vdi_page_raw(vdi_page *p, const char *html);
/** JavaScript as it is. One that holds "</script" is left out, and is the page's error. */
VDI_API void vdi_page_script(vdi_page *p, const char *code);
/** Data for scripts: starts a JSON text under `id` (letters and digits) into `j`; end it with
 * vdi_page_data_end. */
VDI_API void vdi_page_data_begin(vdi_page *p, const char *id, vdi_json_writer *j);
VDI_API void vdi_page_data_end(vdi_page *p, vdi_json_writer *j);
/** End the page and flush; the first error since vdi_page_begin. */
VDI_API vdi_status vdi_page_end(vdi_page *p, vdi_error *err);

#endif /* VDI_IO_HTML_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_HTML_C)
#define VDI_IO_HTML_C

VDI__FN void vdi__page_element(vdi_page *p, const char *tag, const char *text) {
    vdi_write_format(p->out, "<%s>", tag);
    vdi__markup_text(p->out, text ? text : "");
    vdi_write_format(p->out, "</%s>\n", tag);
}

VDI__FN void vdi__page_keep(vdi_page *p, vdi_status status, const vdi_error *err) {
    if (status >= 0 || p->status < 0) return;
    p->status = status;
    p->error = *err;
}

VDI__DEF void vdi_page_begin(vdi_page *p, vdi_writer *out, const char *title) {
    memset(p, 0, sizeof *p);
    p->out = out;
    vdi_write_text(out,
                   "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
    vdi__page_element(p, "title", title);
    vdi_write_text(out, "<style>\n"
                        ":root{--ink:#1d1f23;--soft:#63676f;--line:#d9dbe0;--paper:#fff;--tint:#"
                        "f5f6f8;color-scheme:light dark}\n"
                        "@media(prefers-color-scheme:dark){:root{--ink:#e4e6ea;--soft:#9aa0aa;--"
                        "line:#3a3d44;--paper:#17181b;--tint:#202227}}\n");
    vdi_write_text(
        out, "*{box-sizing:border-box}\n"
             "body{margin:0 auto;padding:40px 20px "
             "72px;max-width:760px;background:var(--paper);color:var(--ink);"
             "font:16px/1.55 system-ui,'Segoe UI',Helvetica,Arial,sans-serif}\n"
             "h1{font-size:27px;line-height:1.25;margin:0 0 20px}\nh2{font-size:20px;margin:40px 0 "
             "10px}\nh3{font-size:16px;margin:28px 0 8px}\n"
             "p{margin:0 0 14px}\n");
    vdi_write_text(
        out,
        "figure{margin:22px 0}\nfigure svg{display:block;max-width:100%;height:auto}\n"
        "figcaption{color:var(--soft);font-size:14px;margin-top:6px}\n"
        ".wide{overflow-x:auto;margin:16px 0 "
        "22px}\ntable{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}\n"
        "th,td{padding:5px 14px 5px 0;text-align:left;border-bottom:1px solid "
        "var(--line);white-space:nowrap}\n"
        "th{font-weight:600}\n.n{text-align:right}\ntr:last-child "
        "td{border-bottom-color:transparent}\n"
        "pre{background:var(--tint);padding:12px 14px;overflow-x:auto;font-size:13px}\n"
        "@media(prefers-color-scheme:dark){[stroke='#0072b2']{stroke:#4ba3e3}[fill='#0072b2']{fill:"
        "#4ba3e3}"
        "[stroke='#d55e00']{stroke:#f28444}[fill='#d55e00']{fill:#f28444}[stroke='#009e73']{stroke:"
        "#2cc79b}[fill='#009e73']{fill:#"
        "2cc79b}}\n"
        "@media print{body{max-width:none;padding:0}figure,tr{break-inside:avoid}}\n"
        "</style>\n</head>\n<body>\n");
    vdi__page_element(p, "h1", title);
}

VDI__DEF void vdi_page_heading(vdi_page *p, int level, const char *text) {
    vdi__page_element(p, level <= 2 ? "h2" : "h3", text);
}

VDI__DEF void vdi_page_text(vdi_page *p, const char *text) { vdi__page_element(p, "p", text); }

/* Does a cell look like a number? */
VDI__FN bool vdi__cell_is_number(const char *text) {
    double x;
    if (!text) return false;
    if (memcmp(text, "\xE2\x88\x92", strlen(text) < 3 ? strlen(text) + 1 : 3) == 0) text += 3;
    return vdi_text_parse_double(text, strlen(text), &x) > 0;
}

VDI__FN void vdi__page_cell(vdi_page *p, const char *tag, bool right, const char *text) {
    vdi_write_format(p->out, right ? "<%s class=\"n\">" : "<%s>", tag);
    vdi__markup_text(p->out, text ? text : "");
    vdi_write_format(p->out, "</%s>", tag);
}

VDI__DEF void vdi_page_table(vdi_page *p, const char *const *head, int cols,
                             const char *const *cells, int rows) {
    vdi_write_text(p->out, "<div class=\"wide\"><table>\n<tr>");
    for (int k = 0; k < cols; k++) {
        bool right = rows > 0; /* a head stands over its numbers */
        for (int i = 0; i < rows && right; i++) {
            const char *cell = cells[(int64_t)i * cols + k];
            right = !cell || vdi__cell_is_number(cell);
        }
        vdi__page_cell(p, "th", right, head[k]);
    }
    vdi_write_text(p->out, "</tr>\n");
    for (int i = 0; i < rows; i++) {
        vdi_write_text(p->out, "<tr>");
        for (int k = 0; k < cols; k++) {
            const char *cell = cells[(int64_t)i * cols + k];
            vdi__page_cell(p, "td", vdi__cell_is_number(cell), cell);
        }
        vdi_write_text(p->out, "</tr>\n");
    }
    vdi_write_text(p->out, "</table></div>\n");
}

VDI__FN void vdi__page_number(char *text, vdi_tensor values, int64_t row, int64_t col, int digits) {
    double v = vdi__at2(values, row, col), most = 0;
    bool whole = true;
    digits = VDI__MIN(VDI__MAX(digits, 1), 17);
    for (int64_t i = 0; i < values.shape[0]; i++) {
        double a = fabs(vdi__at2(values, i, col));
        if (a > most) most = a;
        whole = whole && !(a != floor(a) && a == a);
    }
    if (v != v)
        (void)vdi_text_copy(text, VDI_TEXT_NUMBER, "\xE2\x80\x93");
    else if (whole && most < 1e15)
        (void)vdi__fixed(text, v, 0);
    else if (most < 1e-4 || most >= 1e7)
        (void)vdi_text_double(text, v, digits);
    else
        (void)vdi__fixed(text, v, VDI__MIN(VDI__MAX(digits - 1 - (int)floor(log10(most)), 0), 12));
}

VDI__DEF void vdi_page_numbers(vdi_page *p, const char *const *head, const char *const *row_names,
                               vdi_tensor values, int digits) {
    char text[VDI_TEXT_NUMBER];
    vdi_error err;
    vdi_status status = vdi__tensor_check(values, "vdi_page_numbers", p->out->name, &err);
    if (status >= 0 && values.ndim != 2) {
        status = vdi__io_error(&err, VDI_ERR_SHAPE, "vdi_page_numbers", p->out->name,
                               "expected (rows,cols), found %d axes", (int)values.ndim);
    }
    if (status < 0) {
        vdi__page_keep(p, status, &err);
        return;
    }
    vdi_write_text(p->out, "<div class=\"wide\"><table>\n<tr>");
    if (row_names) vdi_write_text(p->out, "<th></th>");
    for (int64_t k = 0; k < values.shape[1]; k++)
        vdi__page_cell(p, "th", true, head ? head[k] : "");
    vdi_write_text(p->out, "</tr>\n");
    for (int64_t i = 0; i < values.shape[0]; i++) {
        vdi_write_text(p->out, "<tr>");
        if (row_names) vdi__page_cell(p, "td", false, row_names[i]);
        for (int64_t k = 0; k < values.shape[1]; k++) {
            vdi__page_number(text, values, i, k, digits);
            vdi__page_cell(p, "td", true, text);
        }
        vdi_write_text(p->out, "</tr>\n");
    }
    vdi_write_text(p->out, "</table></div>\n");
}

VDI__DEF void vdi_page_figure(vdi_page *p, vdi_figure *f, const char *caption) {
    vdi_error err;
    vdi_write_text(p->out, "<figure>\n");
    vdi_status status = vdi_svg_write(p->out, f, true, &err);
    vdi__page_keep(p, status, &err);
    if (caption) vdi__page_element(p, "figcaption", caption);
    vdi_write_text(p->out, "</figure>\n");
}

VDI__DEF void vdi_page_raw(vdi_page *p, const char *html) { vdi_write_text(p->out, html); }

/* Does the code end its own element? In any case of letters, as a browser reads it. */
VDI__FN bool vdi__ends_script(const char *code) {
    static const char end[] = "</script";
    for (; *code; code++) {
        size_t i = 0;
        while (end[i] && (code[i] == end[i] || (i > 1 && (code[i] | 0x20) == end[i])))
            i++;
        if (!end[i]) return true;
    }
    return false;
}

VDI__DEF void vdi_page_script(vdi_page *p, const char *code) {
    if (vdi__ends_script(code)) {
        vdi_error err;
        vdi_status status = vdi__io_error(&err, VDI_ERR_ARGUMENT, "vdi_page_script", p->out->name,
                                          "the code holds \"</script\", which would end it");
        vdi__page_keep(p, status, &err);
        return;
    }
    vdi_write_text(p->out, "<script>\n");
    vdi_write_text(p->out, code);
    vdi_write_text(p->out, "\n</script>\n");
}

VDI__DEF void vdi_page_data_begin(vdi_page *p, const char *id, vdi_json_writer *j) {
    vdi_write_text(p->out, "<script type=\"application/json\" id=\"");
    vdi__markup_text(p->out, id);
    vdi_write_text(p->out, "\">");
    vdi_json_begin(j, p->out, false);
}

VDI__DEF void vdi_page_data_end(vdi_page *p, vdi_json_writer *j) {
    vdi_error err;
    vdi_status status = vdi_json_end(j, &err);
    vdi__page_keep(p, status, &err);
    vdi_write_text(p->out, "</script>\n");
}

VDI__DEF vdi_status vdi_page_end(vdi_page *p, vdi_error *err) {
    vdi_write_text(p->out, "</body>\n</html>\n");
    vdi_status status = vdi_writer_flush(p->out, err);
    if (p->status >= 0) return status;
    if (err) *err = p->error;
    return p->status;
}
#endif
