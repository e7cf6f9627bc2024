/* io/npy.h - NumPy's file of one array, .npy; several by name are io/npz.h
 *
 * Do this:
 *     vdi_tensor y;
 *     if (vdi_npy_load("y.npy", NULL, &y, &err) < 0) puts(err.message);
 *     if (vdi_npy_save("z.npy", y, &err) < 0) puts(err.message);
 *     vdi_tensor_free(NULL, &y);
 *
 * Formats 1.0, 2.0 and 3.0 (numpy.lib.format), either byte order, C or Fortran order; the tensor is
 * row-major. f4 f8 u1 i2 i4 i8 b1 keep their dtype; i1, u2, u4 become the next wider signed type,
 * u8 int64 where every value fits, f2 float32. Written are format 1.0, little-endian, C order:
 * equal arrays make equal bytes.
 *
 * An array that does not fit into memory is read after vdi_npy_read_header, and written after
 * vdi_npy_write_header.
 *
 * Does NOT: complex, text, records or Python objects, more than VDI_MAX_DIMS axes
 * (VDI_ERR_UNSUPPORTED).
 * Memory: one block for the tensor, and a second while byte width or axis order change. It is
 * yours: vdi_tensor_free with the same allocator. Errors: VDI_ERR_FORMAT for a file that is not
 * what it says, VDI_ERR_IO; nothing is left allocated.
 */
#ifndef VDI_IO_NPY_H
#define VDI_IO_NPY_H
#include "binary.h"
#include "stream.h"

/** The next array of a stream, which then stands just behind it. `a` NULL: malloc. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_read(vdi_reader *r, const vdi_allocator *a,
                                              vdi_tensor *out, vdi_error *err);
/** Write t of any strides, and flush. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_write(vdi_writer *w, vdi_tensor t, vdi_error *err);

/** What stands before the data, for those who read or write an array in parts. */
typedef struct vdi_npy_header {
    vdi_dtype dtype;             /**< of the elements, as vdi_npy_read has them */
    int ndim;                    /**< axes */
    int64_t shape[VDI_MAX_DIMS]; /**< the extent of each */
    bool fortran;                /**< the first axis is the one whose elements lie side by side */
    bool plain; /**< the data are elements of `dtype` as this machine stores them; if not, they
                       have to go through vdi_npy_read */
} vdi_npy_header;
/** The header alone: the stream then stands at the first element. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_read_header(vdi_reader *r, vdi_npy_header *out,
                                                     vdi_error *err);
/** The header of an array of that shape in C order, and flush. The elements have to follow,
 * little-endian. For one and two axes it has 128 bytes, whatever their lengths. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_write_header(vdi_writer *w, vdi_dtype dtype, int ndim,
                                                      const int64_t *shape, vdi_error *err);

#ifndef VDI_NO_STDIO
/** Load a .npy file. Bytes behind the array are an error. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_load(const char *path, const vdi_allocator *a,
                                              vdi_tensor *out, vdi_error *err);
/** Create or replace a .npy file. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_save(const char *path, vdi_tensor t, vdi_error *err);
#endif

#endif /* VDI_IO_NPY_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_NPY_C)
#define VDI_IO_NPY_C

/* ---- the header: a Python dictionary of three keys ---- */

#define VDI__NPY_MAGIC "\x93NUMPY"
/* NumPy 3.0 headers are UTF-8 and may be long because of record types, which vdi does not read: a
 * plain array needs 200 bytes. */
#define VDI__NPY_HEADER_MAX ((size_t)1 << 16)

typedef struct vdi__npy_header {
    const vdi__stored *type;
    bool big, fortran;
    int ndim;
    int64_t shape[VDI_MAX_DIMS];
    /* while it is parsed */
    const char *s, *end;
    char descr[32];
    const char *why;  /* it cannot be read */
    bool unsupported; /* not because it is damaged */
} vdi__npy_header;

VDI__FN bool vdi__npy_bad(vdi__npy_header *h, const char *why) {
    h->why = why;
    return false;
}

VDI__FN void vdi__npy_space(vdi__npy_header *h) {
    while (h->s < h->end && (*h->s == ' ' || *h->s == '\n' || *h->s == '\t' || *h->s == '\r'))
        h->s++;
}

VDI__FN bool vdi__npy_char(vdi__npy_header *h, char c) {
    vdi__npy_space(h);
    if (h->s >= h->end || *h->s != c) return false;
    h->s++;
    return true;
}

/* A quoted word without escapes, into `word`. */
VDI__FN bool vdi__npy_word(vdi__npy_header *h, char *word, size_t cap) {
    size_t n = 0;
    vdi__npy_space(h);
    if (h->s >= h->end || (*h->s != '\'' && *h->s != '"')) return false;
    const char quote = *h->s++;
    for (; h->s < h->end && *h->s != quote; h->s++) {
        if (n + 1 >= cap) return false;
        word[n++] = *h->s;
    }
    word[n] = 0;
    return vdi__npy_char(h, quote);
}

VDI__FN bool vdi__npy_descr(vdi__npy_header *h) {
    vdi__npy_space(h);
    h->unsupported = h->s < h->end && *h->s == '[';
    if (h->unsupported)
        return vdi__npy_bad(h, "an array of records, expected one of plain numbers");
    return vdi__npy_word(h, h->descr, sizeof h->descr) ||
           vdi__npy_bad(h, "'descr' is not a short string");
}

VDI__FN bool vdi__npy_order(vdi__npy_header *h) {
    vdi__npy_space(h);
    h->fortran = h->end - h->s >= 4 && memcmp(h->s, "True", 4) == 0;
    if (!h->fortran && !(h->end - h->s >= 5 && memcmp(h->s, "False", 5) == 0))
        return vdi__npy_bad(h, "'fortran_order' is neither True nor False");
    h->s += h->fortran ? 4 : 5;
    return true;
}

/* "()", "(3,)", "(3, 4)", "(3, 4,)"; but "(3)" is a number. */
VDI__FN bool vdi__npy_shape(vdi__npy_header *h) {
    bool comma = true;
    if (!vdi__npy_char(h, '(')) return vdi__npy_bad(h, "'shape' is not a tuple");
    while (!vdi__npy_char(h, ')')) {
        int64_t extent = 0;
        if (!comma) return vdi__npy_bad(h, "'shape' is not a tuple");
        if (h->s >= h->end || *h->s < '0' || *h->s > '9')
            return vdi__npy_bad(h, "'shape' holds what is not a length");
        const size_t taken = vdi_text_parse_int(h->s, (size_t)(h->end - h->s), &extent);
        if (taken == 0) return vdi__npy_bad(h, "'shape' holds what is not a length");
        h->unsupported = h->ndim == VDI_MAX_DIMS;
        if (h->unsupported) return vdi__npy_bad(h, "an array of more than 6 axes");
        h->shape[h->ndim++] = extent;
        h->s += taken;
        comma = vdi__npy_char(h, ',');
    }
    return comma || h->ndim > 1 || vdi__npy_bad(h, "'shape' is not a tuple");
}

typedef struct vdi__npy_key {
    const char *name;
    bool (*parse)(vdi__npy_header *h);
} vdi__npy_key;
static const vdi__npy_key vdi__npy_keys[] = {
    {"descr", vdi__npy_descr},
    {"fortran_order", vdi__npy_order},
    {"shape", vdi__npy_shape},
};

/* One key and its value; `seen` has a bit for each key. */
VDI__FN bool vdi__npy_entry(vdi__npy_header *h, unsigned *seen) {
    char word[32];
    size_t k = 0;
    if (!vdi__npy_word(h, word, sizeof word) || !vdi__npy_char(h, ':'))
        return vdi__npy_bad(h, "a key is missing");
    while (k < VDI__COUNT(vdi__npy_keys) && strcmp(word, vdi__npy_keys[k].name) != 0)
        k++;
    if (k == VDI__COUNT(vdi__npy_keys))
        return vdi__npy_bad(h, "it has a key besides 'descr', 'fortran_order' and 'shape'");
    if (*seen >> k & 1) return vdi__npy_bad(h, "it has a key twice");
    *seen |= 1u << k;
    return vdi__npy_keys[k].parse(h);
}

VDI__FN bool vdi__npy_dictionary(vdi__npy_header *h) {
    unsigned seen = 0;
    bool comma = true;
    if (!vdi__npy_char(h, '{')) return vdi__npy_bad(h, "it does not begin with '{'");
    while (!vdi__npy_char(h, '}')) {
        if (!comma) return vdi__npy_bad(h, "a comma or '}' is missing");
        if (!vdi__npy_entry(h, &seen)) return false;
        comma = vdi__npy_char(h, ',');
    }
    vdi__npy_space(h);
    if (h->s < h->end) return vdi__npy_bad(h, "text follows the dictionary");
    if (seen + 1 != 1u << VDI__COUNT(vdi__npy_keys))
        return vdi__npy_bad(h, "it needs the keys 'descr', 'fortran_order' and 'shape'");
    return true;
}

VDI__FN vdi_status vdi__npy_parse(vdi__npy_header *h, const char *s, size_t n, const char *name,
                                  vdi_error *err) {
    memset(h, 0, sizeof *h);
    h->s = s;
    h->end = s + n;
    if (!vdi__npy_dictionary(h)) {
        return vdi__io_error(err, h->unsupported ? VDI_ERR_UNSUPPORTED : VDI_ERR_FORMAT,
                             "vdi_npy_read", name, "%s%s",
                             h->unsupported ? "" : "bad .npy header: ", h->why);
    }
    const char *code = h->descr + (h->descr[0] != 0), order = h->descr[0];
    for (size_t i = 0; i < VDI__COUNT(vdi__stored_types); i++) {
        const vdi__stored *type = &vdi__stored_types[i];
        if (type->npy && strcmp(type->npy, code) == 0) h->type = type;
    }
    if (!h->type || !(order == '<' || order == '>' || (order == '|' && h->type->size == 1))) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_npy_read", name,
                             "dtype '%s', expected f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 or b1",
                             h->descr);
    }
    h->big = order == '>' || (order == '|' && vdi__host_is_big());
    return VDI_OK;
}

VDI__FN bool vdi__npy_begins(const uint8_t *head, size_t size) {
    return size >= 6 && memcmp(head, VDI__NPY_MAGIC, 6) == 0;
}

/* The header, from its first byte to the last before the data. */
VDI__FN vdi_status vdi__npy_head(vdi_reader *r, const vdi_allocator *a, vdi__npy_header *h,
                                 vdi_error *err) {
    uint8_t head[12];
    char small[512];
    void *big = NULL;
    vdi_status status = vdi__read_exact(r, head, 10, "the .npy header", err);
    if (status < 0) return status;
    if (!vdi__npy_begins(head, sizeof head)) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_npy_read", r->name,
                             "not a .npy file: expected it to begin with \\x93NUMPY%s",
                             memcmp(head, "PK\3\4", 4) == 0 ? "; it is a zip archive (.npz)" : "");
    }
    if (head[6] < 1 || head[6] > 3 || head[7] != 0) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_npy_read", r->name,
                             ".npy version %d.%d, expected 1.0, 2.0 or 3.0", head[6], head[7]);
    }
    const bool wide = head[6] > 1; /* the length has four bytes, not two */
    if (wide) status = vdi__read_exact(r, head + 10, 2, "the .npy header", err);
    if (status < 0) return status;
    const size_t length = (size_t)vdi__get_le(head + 8, wide ? 4 : 2);
    if (length > VDI__NPY_HEADER_MAX) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_npy_read", r->name,
                             "a .npy header of %zu bytes, at most %zu are read", length,
                             VDI__NPY_HEADER_MAX);
    }
    if (length <= sizeof small)
        status = vdi__read_exact(r, small, length, "the .npy header", err);
    else
        status = vdi__read_block(r, a, length, "the .npy header", &big, err);
    if (status >= 0)
        status = vdi__npy_parse(h, big ? (const char *)big : small, length, r->name, err);
    vdi_free(a, big, length);
    return status;
}

/* `member` is the size in all that an archive claims, or -1; the header is held to it before memory
 * is asked for. */
VDI__FN vdi_status vdi__npy_read(vdi_reader *r, const vdi_allocator *a, int64_t member,
                                 vdi_tensor *out, vdi_error *err) {
    vdi__npy_header h;
    const int64_t start = r->at;
    *out = vdi__tensor_null();
    const vdi_status status = vdi__npy_head(r, a, &h, err);
    if (status < 0) return status;
    const int64_t n = vdi__shape_count(h.ndim, h.shape);
    const int64_t left = member >= 0 ? member - (r->at - start) : vdi__reader_left(r);
    if (left >= 0 && n >= 0 &&
        (n * h.type->size > left || (member >= 0 && n * h.type->size != left))) {
        char text[VDI_SHAPE_TEXT];
        return vdi__io_error(
            err, VDI_ERR_FORMAT, "vdi_npy_read", r->name,
            "shape %s of '%s' needs %lld bytes, found %lld",
            vdi_tensor_shape_text(vdi_tensor_view(NULL, h.type->dtype, h.ndim, h.shape), text),
            h.type->npy, (long long)(n * h.type->size), (long long)left);
    }
    return vdi__read_array(r, a, h.type, h.big, h.fortran, h.ndim, h.shape, out, err);
}

VDI__DEF vdi_status vdi_npy_read(vdi_reader *r, const vdi_allocator *a, vdi_tensor *out,
                                 vdi_error *err) {
    return vdi__npy_read(r, a, -1, out, err);
}

VDI__DEF vdi_status vdi_npy_read_header(vdi_reader *r, vdi_npy_header *out, vdi_error *err) {
    const vdi_allocator a = vdi_allocator_defaults(NULL);
    vdi__npy_header h;
    memset(out, 0, sizeof *out);
    const vdi_status status = vdi__npy_head(r, &a, &h, err);
    if (status < 0) return status;
    out->dtype = h.type->dtype;
    out->ndim = h.ndim;
    memcpy(out->shape, h.shape, sizeof out->shape);
    out->fortran = h.fortran;
    out->plain = !h.type->widen && (h.type->size == 1 || h.big == vdi__host_is_big());
    return VDI_OK;
}

/* The bytes before the data: a multiple of 64, so that the data of a mapped file are aligned.
 * Longest: 6 axes of 19 digits, 218. */
VDI__FN size_t vdi__npy_header_text(char h[256], vdi_tensor t) {
    static const char *const descr[VDI_DTYPE_COUNT] = {"<f4", "<f8", "|u1", "<i2",
                                                       "<i4", "<i8", "|b1"};
    size_t n = vdi_text_copy(h, 256, VDI__NPY_MAGIC "\x01___{'descr': '");
    n += vdi_text_format(h + n, 256 - n, "%s', 'fortran_order': False, 'shape': (", descr[t.dtype]);
    for (int i = 0; i < t.ndim; i++)
        n += vdi_text_format(h + n, 256 - n, i ? ", %lld" : "%lld", (long long)t.shape[i]);
    n += vdi_text_copy(h + n, 256 - n, t.ndim == 1 ? ",), }" : "), }");
    while ((n + 1) % 64)
        h[n++] = ' ';
    h[n++] = '\n';
    h[7] = 0;
    vdi__put_le((uint8_t *)h + 8, n - 10, 2);
    return n;
}

VDI__DEF vdi_status vdi_npy_write(vdi_writer *w, vdi_tensor t, vdi_error *err) {
    char h[256];
    vdi_status status = vdi__tensor_check(t, "vdi_npy_write", w->name, err);
    if (status < 0) return status;
    vdi_write(w, h, vdi__npy_header_text(h, t));
    vdi__write_array(w, t);
    return vdi_writer_flush(w, err);
}

VDI__DEF vdi_status vdi_npy_write_header(vdi_writer *w, vdi_dtype dtype, int ndim,
                                         const int64_t *shape, vdi_error *err) {
    char h[256];
    const bool known = (int)dtype >= 0 && (int)dtype < VDI_DTYPE_COUNT;
    if (!known || ndim < 0 || ndim > VDI_MAX_DIMS || vdi__shape_count(ndim, shape) < 0) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_npy_write_header", w->name,
                             "expected a dtype and up to %d lengths, got dtype %d and %d axes",
                             VDI_MAX_DIMS, (int)dtype, ndim);
    }
    vdi_write(w, h, vdi__npy_header_text(h, vdi_tensor_view(NULL, dtype, ndim, shape)));
    return vdi_writer_flush(w, err);
}

/* ---- a file of its own ---- */

VDI__FN vdi_status vdi__npy_load_fn(vdi_reader *r, const vdi_allocator *a, void *out,
                                    vdi_error *err) {
    char more;
    const vdi_status status = vdi_npy_read(r, a, (vdi_tensor *)out, err);
    if (status < 0 || vdi_read(r, &more, 1) <= 0) return status;
    vdi_tensor_free(a, (vdi_tensor *)out);
    return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_npy_load", r->name,
                         "data follow the array: expected the file to end at byte %lld",
                         (long long)(r->at - 1));
}

/* A row of io/array.h. */
VDI__FN vdi_status vdi__npy_array(vdi_reader *r, const char *name, const vdi_allocator *a,
                                  vdi_tensor *out, vdi_error *err) {
    (void)name;
    return vdi__npy_load_fn(r, a, out, err);
}

#ifndef VDI_NO_STDIO
VDI__DEF vdi_status vdi_npy_load(const char *path, const vdi_allocator *a, vdi_tensor *out,
                                 vdi_error *err) {
    *out = vdi__tensor_null();
    return vdi__load_file(path, vdi__npy_load_fn, a, out, err);
}

VDI__FN vdi_status vdi__npy_save_fn(vdi_writer *w, const void *what, int64_t count,
                                    vdi_error *err) {
    (void)count;
    return vdi_npy_write(w, *(const vdi_tensor *)what, err);
}

VDI__DEF vdi_status vdi_npy_save(const char *path, vdi_tensor t, vdi_error *err) {
    /* before a file is emptied */
    const vdi_status status = vdi__tensor_check(t, "vdi_npy_save", path, err);
    return status < 0 ? status : vdi__save_file(path, vdi__npy_save_fn, &t, 1, err);
}
#endif
#endif
