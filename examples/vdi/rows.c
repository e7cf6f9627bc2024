/* examples/vdi/rows.c - matrices in files, a row at a time: what is too large to be held
 *
 * What is written is a .npy file at any moment: its header tells the rows that are done, so that
 * whoever reads it, or goes on with it, finds whole rows alone.
 */
#include <errno.h>

#include "tool.h"

/* ---- reading --------------------------------------------------------------------------------- */

enum { BLOCK_BYTES = 16 << 20 };

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

bool rows_is_table(const char *path) {
    return ends_with(path, ".csv") || ends_with(path, ".tsv") || ends_with(path, ".txt");
}

/* Rows and columns of what has up to three axes: the last one is the columns. */
static void matrix_shape(rows_in *m, bool fortran) {
    m->rows = m->columns = 1;
    for (int i = 0; i < m->ndim; i++)
        *(i + 1 < m->ndim ? &m->rows : &m->columns) *= m->shape[i];
    m->row_stride = fortran ? 1 : m->columns;
    m->column_stride = fortran ? m->rows : 1;
}

/* An array of a format that is read in parts: plain .npy. */
static bool open_in_parts(const char *path, rows_in *m) {
    vdi_reader r;
    vdi_npy_header h;
    if (!ends_with(path, ".npy") || vdi_reader_open(&r, path, NULL) < 0) return false;
    const bool read = vdi_npy_read_header(&r, &h, NULL) == VDI_OK;
    m->data = r.at;
    vdi_reader_close(&r);
    if (!read || !h.plain || (h.fortran && h.ndim > 2)) return false;
    m->dtype = h.dtype;
    m->ndim = h.ndim;
    memcpy(m->shape, h.shape, sizeof m->shape);
    matrix_shape(m, h.fortran);
    const int64_t bytes = m->rows * m->columns * (int64_t)vdi_dtype_size(h.dtype);
    m->file = file_open(path, FILE_READ);
    if (m->file >= 0 && file_size(m->file) == m->data + bytes) return true;
    if (m->file >= 0) file_close(m->file);
    m->file = -1; /* the loader says what is wrong with it */
    return false;
}

static void transpose(rows_in *m) {
    const int64_t rows = m->rows, stride = m->row_stride;
    m->rows = m->columns;
    m->columns = rows;
    m->row_stride = m->column_stride;
    m->column_stride = stride;
    m->shape[0] = m->rows;
    m->shape[1] = m->columns;
}

bool rows_open(const char *path, bool transposed, rows_in *m) {
    char text[VDI_SHAPE_TEXT];
    memset(m, 0, sizeof *m);
    m->path = path;
    m->file = -1;
    if (!open_in_parts(path, m)) {
        if (!array_load(path, &m->whole)) return false;
        m->dtype = VDI_F64;
        m->ndim = m->whole.ndim;
        memcpy(m->shape, m->whole.shape, sizeof m->shape);
        matrix_shape(m, false);
    }
    if (m->ndim < 1 || m->ndim > 3 || (transposed && m->ndim > 2)) {
        const vdi_tensor t = vdi_tensor_view(NULL, VDI_F64, m->ndim, m->shape);
        (void)fail("expected %s, got %s, in %s",
                   transposed ? "(frames,neurons) with --transpose"
                              : "(neurons,frames), (frames,) or (neurons,trials,frames)",
                   vdi_tensor_shape_text(t, text), path);
        rows_close(m);
        return false;
    }
    /* a table has a neuron in each column; a table of one column is one trace */
    if (transposed != rows_is_table(path) && m->ndim == 2) transpose(m);
    if (rows_is_table(path) && m->ndim == 2 && m->rows == 1) {
        m->ndim = 1;
        m->shape[0] = m->columns;
    }
    return true;
}

void rows_close(rows_in *m) {
    if (m->file >= 0) file_close(m->file);
    if (m->whole.data) vdi_tensor_free(NULL, &m->whole);
    free(m->block);
    memset(m, 0, sizeof *m);
    m->file = -1;
}

static bool read_at(const rows_in *m, void *to, int64_t elements, int64_t from) {
    const size_t size = vdi_dtype_size(m->dtype);
    size_t left = (size_t)elements * size;
    int64_t at = m->data + from * (int64_t)size;
    char *p = (char *)to;
    while (left > 0) {
        const int64_t got = file_read_at(m->file, p, left, at);
        if (got <= 0) {
            (void)fail("cannot read: %s, in %s", got < 0 ? strerror(errno) : "the file has ended",
                       m->path);
            return false;
        }
        p += got;
        at += got;
        left -= (size_t)got;
    }
    return true;
}

/* Rows whose elements lie apart: as many as fit into a block, gathered column by column. */
static bool block_load(rows_in *m, int64_t row) {
    const int64_t each = m->columns * (int64_t)sizeof(double);
    int64_t count = BLOCK_BYTES / (each > 0 ? each : 1);
    count = count < 1 ? 1 : count > m->rows ? m->rows : count;
    if (!m->block) m->block = doubles(count * m->columns);
    if (count > m->rows - row) count = m->rows - row;
    char *raw = (char *)malloc((size_t)count * vdi_dtype_size(m->dtype) + 1);
    bool ok = raw != NULL;
    if (!raw) (void)fail("out of memory");
    for (int64_t k = 0; ok && k < m->columns; k++) {
        ok = read_at(m, raw, count, row * m->row_stride + k * m->column_stride);
        for (int64_t i = 0; ok && i < count; i++)
            m->block[i * m->columns + k] = vdi_dtype_load(m->dtype, raw, i);
    }
    free(raw);
    m->block_first = row;
    m->block_rows = ok ? count : 0;
    return ok;
}

bool rows_read(rows_in *m, int64_t row, double *out) {
    const size_t bytes = (size_t)m->columns * sizeof *out;
    if (m->whole.data) {
        const double *from = (const double *)m->whole.data + row * m->row_stride;
        for (int64_t k = 0; k < m->columns; k++)
            out[k] = from[k * m->column_stride];
        return true;
    }
    if (m->column_stride == 1) {
        char *raw = (char *)out; /* what is narrower stands at the end, and is widened forward */
        const size_t size = vdi_dtype_size(m->dtype);
        raw += (sizeof *out - size) * (size_t)m->columns;
        if (!read_at(m, raw, m->columns, row * m->row_stride)) return false;
        for (int64_t k = 0; k < m->columns && m->dtype != VDI_F64; k++) {
            char element[8];
            memcpy(element, raw + (size_t)k * size, size);
            out[k] = vdi_dtype_load(m->dtype, element, 0);
        }
        return true;
    }
    if (row < m->block_first || row >= m->block_first + m->block_rows)
        if (!block_load(m, row)) return false;
    memcpy(out, m->block + (row - m->block_first) * m->columns, bytes);
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

enum { HEADER = 128 }; /* bytes, for one and two axes */

/* Files are little-endian: elements of this machine to and from it. */
static void little(char *raw, int64_t count, size_t size) {
    const uint16_t one = 1;
    char first;
    memcpy(&first, &one, 1);
    for (int64_t i = 0; i < count && !first; i++, raw += size) {
        for (size_t k = 0; k < size / 2; k++) {
            const char t = raw[k];
            raw[k] = raw[size - 1 - k];
            raw[size - 1 - k] = t;
        }
    }
}

typedef struct header_text {
    char text[HEADER];
    size_t size;
} header_text;

static bool header_write(const void *data, size_t size, void *user) {
    header_text *h = (header_text *)user;
    if (size > sizeof h->text - h->size) return false;
    memcpy(h->text + h->size, data, size);
    h->size += size;
    return true;
}

static bool write_at(const rows_out *m, const void *from, size_t size, int64_t at) {
    const char *p = (const char *)from;
    while (size > 0) {
        const int64_t got = file_write_at(m->file, p, size, at);
        if (got <= 0) {
            (void)fail("cannot write %s: %s", m->path, strerror(errno));
            return false;
        }
        p += got;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

bool rows_begin(const run *r, const char *name, const rows_shape *shape, bool go_on, rows_out *m) {
    char file[64];
    memset(m, 0, sizeof *m);
    snprintf(file, sizeof file, "%s.npy", name);
    m->path = path_join(r->out, file);
    m->shape = *shape;
    m->file = file_open(m->path, go_on ? FILE_UPDATE : FILE_NEW);
    if (m->file < 0) {
        (void)fail("cannot write %s: %s", m->path, strerror(errno));
        return false;
    }
    m->raw = (char *)malloc((size_t)shape->columns * sizeof(double) + 1);
    if (!m->raw) exit(fail("out of memory"));
    return go_on || rows_tell(m, 0);
}

bool rows_write(rows_out *m, int64_t row, const double *values) {
    const size_t size = vdi_dtype_size(m->shape.dtype), bytes = size * (size_t)m->shape.columns;
    for (int64_t k = 0; k < m->shape.columns; k++)
        vdi_dtype_store(m->shape.dtype, m->raw, k, values[k]);
    little(m->raw, m->shape.columns, size);
    return write_at(m, m->raw, bytes, (off_t)HEADER + (off_t)row * (off_t)bytes);
}

bool rows_write_some(rows_out *m, int64_t row, int64_t count, const double *values) {
    const uint16_t one = 1;
    char first;
    memcpy(&first, &one, 1);
    const size_t bytes = sizeof(double) * (size_t)m->shape.columns;
    if (first && m->shape.dtype == VDI_F64)
        return write_at(m, values, bytes * (size_t)count,
                        (off_t)HEADER + (off_t)row * (off_t)bytes);
    for (int64_t i = 0; i < count; i++)
        if (!rows_write(m, row + i, values + i * m->shape.columns)) return false;
    return true;
}

bool rows_back(rows_out *m, int64_t row, double *out) {
    const size_t size = vdi_dtype_size(m->shape.dtype);
    rows_in in = {0};
    in.path = m->path;
    in.file = m->file;
    in.dtype = m->shape.dtype;
    in.data = HEADER;
    if (!read_at(&in, m->raw, m->shape.columns, row * m->shape.columns)) return false;
    little(m->raw, m->shape.columns, size);
    for (int64_t k = 0; k < m->shape.columns; k++)
        out[k] = vdi_dtype_load(m->shape.dtype, m->raw, k);
    return true;
}

bool rows_tell(rows_out *m, int64_t rows) {
    header_text h = {{0}, 0};
    const rows_shape *s = &m->shape;
    const int64_t each = s->each > 1 ? s->each : 1;
    int64_t shape[4], axes = 0;
    vdi_writer w;
    vdi_error err = {0};
    if (s->planes) shape[axes++] = s->planes;
    if (!s->vector) shape[axes++] = rows / each;
    if (s->each) shape[axes++] = s->each;
    shape[axes++] = s->vector && rows == 0 ? 0 : s->columns;
    vdi_writer_init(&w, header_write, &h, m->path);
    if (vdi_npy_write_header(&w, s->dtype, (int)axes, shape, &err) < 0 || h.size != HEADER) {
        (void)fail("no header for %lld rows, in %s", (long long)rows, m->path);
        return false;
    }
    return write_at(m, h.text, h.size, 0);
}

bool rows_keep(rows_out *m, int64_t rows) {
    if (file_flush(m->file)) return rows_tell(m, rows);
    (void)fail("cannot write %s: %s", m->path, strerror(errno));
    return false;
}

void rows_leave(rows_out *m) {
    if (m->path && m->file >= 0) file_close(m->file);
    free(m->path);
    free(m->raw);
    memset(m, 0, sizeof *m);
    m->file = -1;
}

bool rows_end(rows_out *m, int64_t rows) {
    const size_t row = vdi_dtype_size(m->shape.dtype) * (size_t)m->shape.columns;
    bool ok = rows_keep(m, rows);
    /* of a stack that is not complete the planes stand where they will be */
    if (!m->shape.planes && !file_cut(m->file, HEADER + rows * (int64_t)row)) ok = false;
    if (!file_close(m->file)) ok = false;
    m->file = -1;
    rows_leave(m);
    return ok;
}
