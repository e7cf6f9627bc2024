/* io/csv.h - tables of numbers as text
 *
 * Do this:
 *     vdi_csv t;
 *     if (vdi_csv_load("log.csv", NULL, &t, &err) < 0) puts(err.message);
 *     vdi_tensor all = t.values;   (rows,cols) float64, row-major; NaN where a cell is empty
 *     vdi_tensor loss = vdi_csv_column(&t, "loss");   (rows,), a view; or the null tensor
 *     vdi_csv_free(&t);
 *
 *     vdi_named_tensor columns[2] = {{"step", step}, {"loss", loss}};
 *     if (vdi_csv_save("log.csv", columns, 2, &err) < 0) puts(err.message);
 *
 * Read: cells between commas, semicolons, tabs or spaces (the first of these that the first row
 * holds, but not commas that all stand within numbers, beside another of them), in quotes or not
 * (RFC 4180), lines ended by LF or CRLF. A first row with a cell that is no number, or in quotes,
 * is the header. Empty cells, "nan" and "NA" are NaN. Empty lines and lines that begin with '#' are
 * ignored. A row of another length, or a word or a decimal comma in place of a number, is
 * VDI_ERR_FORMAT and names line and cell. Written: commas, LF, the fewest digits that read back,
 * NaN as nan.
 * Does NOT: text columns, decimal commas. Memory: one block for text that is freed, one for the
 * values.
 */
#ifndef VDI_IO_CSV_H
#define VDI_IO_CSV_H
#include "../core/state.h"
#include "binary.h"
#include "stream.h"

/** A table. `values` and `name` are yours to read. */
typedef struct vdi_csv {
    vdi_tensor values; /**< (rows,cols) float64 */
    const char **name; /**< cols names, or NULL where the file has no header */
    /* private */
    vdi_arena arena;
} vdi_csv;

/** Read a whole stream. `a` NULL: malloc. Pair with vdi_csv_free (harmless after a failure). */
VDI_API VDI_NODISCARD vdi_status vdi_csv_read(vdi_reader *r, const vdi_allocator *a, vdi_csv *out,
                                              vdi_error *err);
/** The column (rows,) of that name, a view; the null tensor if there is none. */
VDI_API vdi_tensor vdi_csv_column(const vdi_csv *t, const char *name);
/** Give the table's memory back. */
VDI_API void vdi_csv_free(vdi_csv *t);

/** One row of names, quoted where they need it: the header of a log that grows. */
VDI_API void vdi_csv_write_names(vdi_writer *w, const char *const *names, int64_t count);
/** One row of numbers. */
VDI_API void vdi_csv_write_row(vdi_writer *w, const double *values, int64_t count);
/** A table of `count` columns, each (rows,) of any dtype, with its header; flushes. VDI_ERR_SHAPE
 * if lengths differ. */
VDI_API VDI_NODISCARD vdi_status vdi_csv_write(vdi_writer *w, const vdi_named_tensor *columns,
                                               int64_t count, vdi_error *err);

#ifndef VDI_NO_STDIO
/** Read a file. */
VDI_API VDI_NODISCARD vdi_status vdi_csv_load(const char *path, const vdi_allocator *a,
                                              vdi_csv *out, vdi_error *err);
/** Create or replace a file. */
VDI_API VDI_NODISCARD vdi_status vdi_csv_save(const char *path, const vdi_named_tensor *columns,
                                              int64_t count, vdi_error *err);
#endif

#endif /* VDI_IO_CSV_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_CSV_C)
#define VDI_IO_CSV_C

typedef struct vdi__csv_scanner {
    const char *at, *end;
    long long line; /* from 1 */
    char separator;
} vdi__csv_scanner;

/* A cell as it stands: begin..end, without the quotes if it has some. */
typedef struct vdi__csv_cell {
    const char *begin, *end;
    bool quoted, bad, last; /* bad: an open quote, or text behind it; last: of its row */
} vdi__csv_cell;

VDI__FN bool vdi__csv_blank(const vdi__csv_scanner *s, char c) {
    return (c == ' ' || c == '\t') && c != s->separator;
}

/* Go to the next row that holds something; false at the end. */
VDI__FN bool vdi__csv_row(vdi__csv_scanner *s) {
    while (s->at < s->end) {
        const char *p = s->at;
        while (p < s->end && (*p == ' ' || *p == '\t' || *p == '\r'))
            p++;
        bool comment = p < s->end && *p == '#', empty = p == s->end || *p == '\n';
        if (!comment && !empty) {
            if (s->separator == ' ') s->at = p;
            return true;
        }
        /* a row of nothing but tabs is a row of empty cells where tabs separate */
        if (empty && s->separator == '\t' && memchr(s->at, '\t', (size_t)(p - s->at))) return true;
        while (p < s->end && *p != '\n')
            p++;
        s->at = p < s->end ? p + 1 : p;
        s->line++;
    }
    return false;
}

VDI__FN vdi__csv_cell vdi__csv_next(vdi__csv_scanner *s) {
    vdi__csv_cell c = VDI__ZERO;
    const char *p = s->at;
    while (p < s->end && vdi__csv_blank(s, *p))
        p++;
    if (p < s->end && *p == '"') {
        c.quoted = true;
        c.begin = ++p;
        while (p < s->end && !(*p == '"' && !(p + 1 < s->end && p[1] == '"'))) {
            if (*p == '\n') s->line++;
            p += *p == '"' ? 2 : 1;
        }
        c.end = p;
        c.bad = p >= s->end;
        if (!c.bad) p++;
        while (p < s->end && (vdi__csv_blank(s, *p) || *p == '\r'))
            p++;
        if (p < s->end && *p != s->separator && *p != '\n') c.bad = true;
    } else {
        c.begin = p;
        while (p < s->end && *p != s->separator && *p != '\n')
            p++;
        c.end = p;
        while (c.end > c.begin && (vdi__csv_blank(s, c.end[-1]) || c.end[-1] == '\r'))
            c.end--;
    }
    if (s->separator == ' ') {
        while (p + 1 < s->end && *p == ' ' && (p[1] == ' ' || p[1] == '\n' || p[1] == '\r'))
            p++;
    }
    if (s->separator == ' ' && p < s->end && *p == '\r') p++;
    if (s->separator == ' ' && p + 1 == s->end && *p == ' ') p++;
    c.last = p >= s->end || *p == '\n';
    if (c.last && p < s->end && !c.bad) s->line++;
    s->at = p < s->end ? p + 1 : p;
    return c;
}

VDI__FN bool vdi__csv_number(vdi__csv_cell c, double *x) {
    size_t n = (size_t)(c.end - c.begin);
    *x = (double)NAN;
    if (c.bad) return false;
    if (n == 0 || (n == 2 && memcmp(c.begin, "NA", 2) == 0) ||
        (n == 3 && memcmp(c.begin, "N/A", 3) == 0))
        return true;
    return vdi_text_parse_double(c.begin, n, x) == n;
}

VDI__FN bool vdi__csv_digit(char c) { return c >= '0' && c <= '9'; }

/* Is that a number but for a comma in place of its point? */
VDI__FN bool vdi__csv_decimal_comma(vdi__csv_cell c) {
    const char *comma = NULL;
    char text[40];
    double x;
    const size_t n = (size_t)(c.end - c.begin);
    if (n < 3 || n >= sizeof text || c.bad) return false;
    memcpy(text, c.begin, n);
    comma = (const char *)memchr(text, ',', n);
    if (!comma || comma == text || !vdi__csv_digit(comma[-1])) return false;
    text[comma - text] = '.';
    return vdi_text_parse_double(text, n, &x) == n;
}

/* The message of a cell that is no number. */
VDI__FN vdi_status vdi__csv_refuse(vdi__csv_cell c, long long line, int64_t cell, const char *name,
                                   vdi_error *err) {
    char text[32];
    size_t n = 0;
    if (c.bad) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_csv_read", name,
                             "line %lld, cell %lld: a quote has no end, or text follows it", line,
                             (long long)cell);
    }
    for (const char *p = c.begin; p < c.end && n + 1 < sizeof text; p++)
        text[n++] = *p >= ' ' && *p <= '~' ? *p : '?';
    text[n] = 0;
    return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_csv_read", name,
                         "line %lld, cell %lld: expected a number%s, found '%s%s'", line,
                         (long long)cell, vdi__csv_decimal_comma(c) ? " with a decimal point" : "",
                         text, c.begin + n < c.end ? "..." : "");
}

/* The separator: the first of these that the first row holds outside of quotes. Commas that all
 * stand between digits are taken for those of numbers if there is another. */
VDI__FN char vdi__csv_separator(const char *p, const char *end) {
    static const char separators[] = {',', ';', '\t', ' '};
    bool seen[sizeof separators] = {false, false, false, false}, quoted = false, within = true;
    const char *begin = p;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    for (; p < end && (quoted || *p != '\n'); p++) {
        if (*p == '"') quoted = !quoted;
        /* a space at the end of a line separates nothing */
        const bool last = p + 1 >= end || p[1] == '\n' || p[1] == '\r';
        for (size_t k = 0; k < sizeof separators; k++)
            seen[k] = seen[k] || (!quoted && *p == separators[k] && !(*p == ' ' && last));
        if (*p != ',' || quoted) continue;
        within =
            within && p > begin && vdi__csv_digit(p[-1]) && p + 1 < end && vdi__csv_digit(p[1]);
    }
    if (seen[0] && within && (seen[1] || seen[2])) seen[0] = false;
    for (size_t k = 0; k < sizeof separators; k++) {
        if (seen[k]) return separators[k];
    }
    return ',';
}

/* The header into out->name. */
VDI__FN bool vdi__csv_names(vdi__csv_scanner *s, int64_t cols, vdi_csv *out) {
    out->name =
        (const char **)vdi_arena_alloc(&out->arena, vdi_mul_size((size_t)cols, sizeof *out->name));
    for (int64_t i = 0; i < cols && out->name; i++) {
        vdi__csv_cell c = vdi__csv_next(s);
        char *copy = (char *)vdi_arena_alloc(&out->arena, (size_t)(c.end - c.begin) + 1);
        char *to = copy;
        if (!copy) return false;
        for (const char *p = c.begin; p < c.end; p++) {
            *to++ = *p;
            if (c.quoted && *p == '"') p++; /* "" is one quote */
        }
        *to = 0;
        out->name[i] = copy;
    }
    return out->name != NULL;
}

VDI__FN vdi_status vdi__csv_parse(const char *text, size_t n, const vdi_allocator *a,
                                  const char *name, vdi_csv *out, vdi_error *err) {
    vdi__csv_scanner start, s;
    int64_t rows = 0, cols = 0, shape[2];
    bool header = false;
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        n -= 3;
    }
    s.at = text;
    s.end = text + n;
    s.line = 1;
    s.separator = 0;
    bool any = vdi__csv_row(&s);
    s.separator = vdi__csv_separator(s.at, s.end);
    start = s;
    while (any && vdi__csv_row(&s)) {
        /* first count, so that nothing is allocated for a ragged table */
        int64_t cells = 0;
        long long line = s.line;
        vdi__csv_cell c;
        do {
            double x;
            c = vdi__csv_next(&s);
            cells++;
            const bool number = vdi__csv_number(c, &x), heads = rows == 0 && !c.bad;
            if (heads && c.quoted && c.end > c.begin) header = true;
            if (number) continue;
            if (!heads || (!c.quoted && vdi__csv_decimal_comma(c)))
                return vdi__csv_refuse(c, line, cells, name, err);
            header = true;
        } while (!c.last);
        if (rows == 0) cols = cells;
        if (cells != cols) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_csv_read", name,
                                 "line %lld has %lld cells, line %lld has %lld", line,
                                 (long long)cells, start.line, (long long)cols);
        }
        rows++;
    }
    if (!rows) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_csv_read", name,
                             "an empty table: expected at least one row");
    }
    s = start;
    if (header && !vdi__csv_names(&s, cols, out))
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_csv_read", name, "no memory for the names");
    shape[0] = rows - header;
    shape[1] = cols;
    vdi_status status = vdi_tensor_alloc(a, VDI_F64, 2, shape, &out->values, err);
    if (status < 0) return status;
    double *x = (double *)out->values.data;
    for (int64_t i = 0; i < shape[0]; i++) {
        (void)vdi__csv_row(&s);
        for (int64_t k = 0; k < cols; k++)
            (void)vdi__csv_number(vdi__csv_next(&s), x++);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_csv_read(vdi_reader *r, const vdi_allocator *a, vdi_csv *out,
                                 vdi_error *err) {
    char *text;
    size_t n, capacity;
    memset(out, 0, sizeof *out);
    out->values = vdi__tensor_null();
    vdi_arena_init(&out->arena, a, 1024);
    vdi_status status =
        vdi__read_all(r, a, (size_t)1 << (sizeof(size_t) > 4 ? 36 : 30), &text, &n, &capacity, err);
    if (status < 0) return status;
    status = vdi__csv_parse(text, n, a, r->name, out, err);
    vdi_free(a, text, capacity);
    if (status < 0) vdi_csv_free(out);
    return status;
}

VDI__DEF vdi_tensor vdi_csv_column(const vdi_csv *t, const char *name) {
    for (int64_t k = 0; t->name && k < t->values.shape[1]; k++)
        if (strcmp(t->name[k], name) == 0) return vdi_tensor_index(t->values, 1, k);
    return vdi__tensor_null();
}

VDI__DEF void vdi_csv_free(vdi_csv *t) {
    if (t->values.data) vdi_tensor_free(&t->arena.allocator, &t->values);
    vdi_arena_free(&t->arena);
    t->name = NULL;
}

/* ---- writing ---- */

/* Quotes where the text would else be taken apart, for a comment, or for a number. */
VDI__FN void vdi__csv_write_name(vdi_writer *w, const char *name) {
    double x;
    size_t n = name ? strlen(name) : 0;
    bool quote = n == 0 || strpbrk(name, ",;\t \"\r\n#") || strcmp(name, "NA") == 0 ||
                 strcmp(name, "N/A") == 0 || vdi_text_parse_double(name, n, &x) == n;
    if (quote) vdi_write(w, "\"", 1);
    for (size_t i = 0, length; i < n; i += VDI__MAX(length, (size_t)1)) {
        length = vdi__utf8_length(name + i, n - i);
        if (name[i] == '"') vdi_write(w, "\"", 1);
        if (length)
            vdi_write(w, name + i, length);
        else
            vdi_write_text(w, VDI__UTF8_REPLACEMENT);
    }
    if (quote) vdi_write(w, "\"", 1);
}

VDI__DEF void vdi_csv_write_names(vdi_writer *w, const char *const *names, int64_t count) {
    for (int64_t k = 0; k < count; k++) {
        if (k) vdi_write(w, ",", 1);
        vdi__csv_write_name(w, names[k]);
    }
    vdi_write(w, "\n", 1);
}

VDI__DEF void vdi_csv_write_row(vdi_writer *w, const double *values, int64_t count) {
    for (int64_t k = 0; k < count; k++) {
        if (k) vdi_write(w, ",", 1);
        vdi_write_number(w, values[k], 0);
    }
    vdi_write(w, "\n", 1);
}

VDI__FN vdi_status vdi__csv_check(const vdi_named_tensor *columns, int64_t count, const char *name,
                                  vdi_error *err) {
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    for (int64_t k = 0; k < count; k++) {
        vdi_status status = vdi__tensor_check(columns[k].tensor, "vdi_csv_write", name, err);
        if (status < 0) return status;
        if (columns[k].tensor.ndim != 1 ||
            columns[k].tensor.shape[0] != columns[0].tensor.shape[0]) {
            return vdi__io_error(err, VDI_ERR_SHAPE, "vdi_csv_write", name,
                                 "column %lld is %s, column 0 is %s: expected equal lengths",
                                 (long long)k, vdi_tensor_shape_text(columns[k].tensor, a),
                                 vdi_tensor_shape_text(columns[0].tensor, b));
        }
    }
    return count > 0
               ? VDI_OK
               : vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_csv_write", name, "no column to write");
}

VDI__DEF vdi_status vdi_csv_write(vdi_writer *w, const vdi_named_tensor *columns, int64_t count,
                                  vdi_error *err) {
    char text[VDI_TEXT_NUMBER];
    vdi_status status = vdi__csv_check(columns, count, w->name, err);
    if (status < 0) return status;
    for (int64_t k = 0; k < count; k++) {
        vdi__csv_write_name(w, columns[k].name);
        vdi_write(w, k + 1 < count ? "," : "\n", 1);
    }
    for (int64_t i = 0; i < columns[0].tensor.shape[0]; i++) {
        for (int64_t k = 0; k < count; k++) {
            vdi_tensor t = columns[k].tensor;
            vdi_write(w, text, vdi__text_element(text, t, t.data, i * t.stride[0]));
            vdi_write(w, k + 1 < count ? "," : "\n", 1);
        }
    }
    return vdi_writer_flush(w, err);
}

/* A row of io/array.h. Text is whatever holds no control characters but those that separate. */
VDI__FN bool vdi__csv_begins(const uint8_t *head, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (head[i] < 32 && head[i] != '\t' && head[i] != '\n' && head[i] != '\r') return false;
    }
    return size > 0;
}

VDI__FN vdi_status vdi__csv_array(vdi_reader *r, const char *name, const vdi_allocator *a,
                                  vdi_tensor *out, vdi_error *err) {
    vdi_csv table;
    (void)name;
    const vdi_status status = vdi_csv_read(r, a, &table, err);
    if (status < 0) return status;
    *out = table.values; /* the numbers go on to the caller, the rest is given back */
    table.values = vdi__tensor_null();
    vdi_csv_free(&table);
    return VDI_OK;
}

#ifndef VDI_NO_STDIO
VDI__FN vdi_status vdi__csv_load_fn(vdi_reader *r, const vdi_allocator *a, void *out,
                                    vdi_error *err) {
    return vdi_csv_read(r, a, (vdi_csv *)out, err);
}

VDI__DEF vdi_status vdi_csv_load(const char *path, const vdi_allocator *a, vdi_csv *out,
                                 vdi_error *err) {
    memset(out, 0, sizeof *out);
    return vdi__load_file(path, vdi__csv_load_fn, a, out, err);
}

VDI__FN vdi_status vdi__csv_save_fn(vdi_writer *w, const void *what, int64_t count,
                                    vdi_error *err) {
    return vdi_csv_write(w, (const vdi_named_tensor *)what, count, err);
}

VDI__DEF vdi_status vdi_csv_save(const char *path, const vdi_named_tensor *columns, int64_t count,
                                 vdi_error *err) {
    const vdi_status status =
        vdi__csv_check(columns, count, path, err); /* before a file is emptied */
    return status < 0 ? status : vdi__save_file(path, vdi__csv_save_fn, columns, count, err);
}
#endif
#endif
