/* io/npy.h - NumPy's files: one array (.npy), or several by name (.npz)
 *
 * Do this:
 *     vdi_tensor y;
 *     if (vdi_npy_load("y.npy", NULL, &y, &err) < 0)
 *         puts(err.message);   also "all.npz:y", or an .npz of one array
 *     if (vdi_npy_save("z.npy", y, &err) < 0) puts(err.message);
 *     vdi_tensor_free(NULL, &y);
 *
 *     vdi_npz npz;
 *     if (vdi_npz_open_file(&npz, "all.npz", NULL, &err) == VDI_OK) {
 *         for (int64_t i = 0; i < npz.count; i++) puts(npz.name[i]);
 *         if (vdi_npz_get(&npz, "y", NULL, &y, &err) < 0) puts(err.message);
 *         vdi_npz_close(&npz);
 *     }
 *
 * Formats 1.0, 2.0 and 3.0 (numpy.lib.format), either byte order, C or Fortran order; the tensor is
 * row-major. f4 f8 u1 i2 i4 i8 b1 keep their dtype; i1, u2, u4 become the next wider signed type,
 * u8 int64 where every value fits, f2 float32. Written are format 1.0, little-endian, C order, and
 * stored (not deflated) members: equal arrays make equal bytes.
 *
 * Does NOT: complex, text, records or Python objects, more than VDI_MAX_DIMS axes
 * (VDI_ERR_UNSUPPORTED).
 * Memory: one block for the tensor, and a second while byte width or axis order change. It is
 * yours: vdi_tensor_free with the same allocator. Errors: VDI_ERR_FORMAT for a file that is not
 * what it says, VDI_ERR_IO; nothing is left allocated.
 */
#ifndef VDI_IO_NPY_H
#define VDI_IO_NPY_H
#include "../core/state.h"
#include "crc32.h"
#include "stream.h"
#include "zip.h"

/** The next array of a stream, which then stands just behind it. `a` NULL: malloc. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_read(vdi_reader *r, const vdi_allocator *a,
                                              vdi_tensor *out, vdi_error *err);
/** Write t of any strides, and flush. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_write(vdi_writer *w, vdi_tensor t, vdi_error *err);

/** An open .npz; `name` (without ".npy") and `count` are yours to read. */
typedef struct vdi_npz {
    const char **name; /**< of each array */
    int64_t count;     /**< arrays */
    /* private */
    vdi_zip zip;
    vdi_reader file; /* where vdi_npz_open_file opened one */
} vdi_npz;

/** Read the list of arrays. What `r` stands on must outlive the npz. Pair with vdi_npz_close. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_open(vdi_npz *npz, vdi_reader r, const vdi_allocator *a,
                                              vdi_error *err);
/** One array by name; VDI_ERR_ARGUMENT with the names there are if it is not among them. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_get(vdi_npz *npz, const char *name, const vdi_allocator *a,
                                             vdi_tensor *out, vdi_error *err);
/** Give its memory back, and close its file. */
VDI_API void vdi_npz_close(vdi_npz *npz);
/** Write `count` arrays; names without ".npy". VDI_ERR_ARGUMENT for an empty or doubled name. `a`
 * is for the directory. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_write(vdi_writer *w, const vdi_named_tensor *tensors,
                                               int64_t count, const vdi_allocator *a,
                                               vdi_error *err);

#ifndef VDI_NO_STDIO
/** Load "file.npy", "file.npz:name", or "file.npz" of a single array. Bytes behind the array are an
 * error. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_load(const char *path, const vdi_allocator *a,
                                              vdi_tensor *out, vdi_error *err);
/** Create or replace a .npy file. */
VDI_API VDI_NODISCARD vdi_status vdi_npy_save(const char *path, vdi_tensor t, vdi_error *err);
/** Open an .npz file. `path` must outlive it. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_open_file(vdi_npz *npz, const char *path,
                                                   const vdi_allocator *a, vdi_error *err);
/** Create or replace an .npz file. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_save(const char *path, const vdi_named_tensor *tensors,
                                              int64_t count, vdi_error *err);
#endif

#endif /* VDI_IO_NPY_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_NPY_C)
#define VDI_IO_NPY_C

/* ---- the header: a Python dictionary of three keys ---- */

typedef struct vdi__npy_header {
    const vdi__stored *type;
    bool big, fortran;
    int ndim;
    int64_t shape[VDI_MAX_DIMS];
} vdi__npy_header;

/* NumPy 3.0 headers are UTF-8 and may be long because of record types, which vdi does not read: a
 * plain array needs 200 bytes. */
#define VDI__NPY_HEADER_MAX ((size_t)1 << 16)

VDI__FN void vdi__skip_space(const char **s, const char *end) {
    while (*s < end && (**s == ' ' || **s == '\n' || **s == '\t' || **s == '\r'))
        ++*s;
}

VDI__FN bool vdi__skip_char(const char **s, const char *end, char c) {
    vdi__skip_space(s, end);
    if (*s >= end || **s != c) return false;
    ++*s;
    return true;
}

/* A quoted word without escapes, into `word`. */
VDI__FN bool vdi__npy_word(const char **s, const char *end, char *word, size_t cap) {
    vdi__skip_space(s, end);
    if (*s >= end || (**s != '\'' && **s != '"')) return false;
    char quote = *(*s)++;
    size_t n = 0;
    for (; *s < end && **s != quote; ++*s) {
        if (n + 1 >= cap) return false;
        word[n++] = **s;
    }
    word[n] = 0;
    return vdi__skip_char(s, end, quote);
}

VDI__FN bool vdi__npy_bool(const char **s, const char *end, bool *value) {
    vdi__skip_space(s, end);
    *value = end - *s >= 4 && memcmp(*s, "True", 4) == 0;
    if (!*value && !(end - *s >= 5 && memcmp(*s, "False", 5) == 0)) return false;
    *s += *value ? 4 : 5;
    return true;
}

VDI__FN vdi_status vdi__npy_parse(vdi__npy_header *h, const char *s, size_t n, const char *name,
                                  vdi_error *err) {
    const char *end = s + n, *bad = NULL;
    char word[32], descr[32];
    unsigned seen = 0;
    memset(h, 0, sizeof *h);
    descr[0] = 0;
    if (!vdi__skip_char(&s, end, '{')) bad = "it does not begin with '{'";
    while (!bad && !vdi__skip_char(&s, end, '}')) {
        unsigned bit = 0;
        if (!vdi__npy_word(&s, end, word, sizeof word) || !vdi__skip_char(&s, end, ':')) {
            bad = "a key is missing";
            break;
        }
        if (strcmp(word, "descr") == 0) {
            bit = 1;
            vdi__skip_space(&s, end);
            if (s < end && *s == '[') {
                return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_npy_read", name,
                                     "an array of records, expected one of plain numbers");
            }
            if (!vdi__npy_word(&s, end, descr, sizeof descr)) bad = "'descr' is not a short string";
        } else if (strcmp(word, "fortran_order") == 0) {
            bit = 2;
            if (!vdi__npy_bool(&s, end, &h->fortran))
                bad = "'fortran_order' is neither True nor False";
        } else if (strcmp(word, "shape") == 0) {
            bit = 4;
            if (!vdi__skip_char(&s, end, '(')) bad = "'shape' is not a tuple";
            while (!bad && !vdi__skip_char(&s, end, ')')) {
                int64_t extent = 0;
                vdi__skip_space(&s, end);
                size_t taken = s < end && *s >= '0' && *s <= '9'
                                   ? vdi_text_parse_int(s, (size_t)(end - s), &extent)
                                   : 0;
                if (!taken) {
                    bad = "'shape' holds what is not a length";
                } else if (h->ndim == VDI_MAX_DIMS) {
                    return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_npy_read", name,
                                         "an array of more than %d axes", VDI_MAX_DIMS);
                } else {
                    h->shape[h->ndim++] = extent;
                    s += taken;
                    if (!vdi__skip_char(&s, end, ',')) {
                        if (h->ndim == 1 || !vdi__skip_char(&s, end, ')'))
                            bad = "'shape' is not a tuple"; /* "(3)" is a number */
                        break;
                    }
                }
            }
        } else {
            bad = "it has a key besides 'descr', 'fortran_order' and 'shape'";
        }
        if (!bad && (seen & bit)) bad = "it has a key twice";
        seen |= bit;
        if (!bad && !vdi__skip_char(&s, end, ',')) {
            if (!vdi__skip_char(&s, end, '}')) bad = "a comma or '}' is missing";
            break;
        }
    }
    vdi__skip_space(&s, end);
    if (!bad && s < end) bad = "text follows the dictionary";
    if (!bad && seen != 7) bad = "it needs the keys 'descr', 'fortran_order' and 'shape'";
    if (bad)
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_npy_read", name, "bad .npy header: %s", bad);
    for (size_t i = 0; i < VDI__COUNT(vdi__stored_types); i++) {
        const vdi__stored *type = &vdi__stored_types[i];
        if (type->npy && strcmp(type->npy, descr + (descr[0] != 0)) == 0) h->type = type;
    }
    if (h->type && !(descr[0] == '<' || descr[0] == '>' || (descr[0] == '|' && h->type->size == 1)))
        h->type = NULL;
    if (!h->type) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_npy_read", name,
                             "dtype '%s', expected f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 or b1", descr);
    }
    h->big = descr[0] == '>' || (descr[0] == '|' && vdi__host_is_big());
    return VDI_OK;
}

/* `member` is the size in all that an archive claims, or -1; the header is held to it before memory
 * is asked for. */
VDI__FN vdi_status vdi__npy_read(vdi_reader *r, const vdi_allocator *a, int64_t member,
                                 vdi_tensor *out, vdi_error *err) {
    uint8_t head[12];
    char small[512];
    void *big = NULL;
    vdi__npy_header h;
    vdi_status status;
    int64_t start = r->at;
    *out = vdi__tensor_null();
    if ((status = vdi__read_exact(r, head, 10, "the .npy header", err)) < 0) return status;
    if (memcmp(head, "\x93NUMPY", 6) != 0) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_npy_read", r->name,
                             "not a .npy file: expected it to begin with \\x93NUMPY%s",
                             memcmp(head, "PK\3\4", 4) == 0 ? "; it is a zip archive (.npz)" : "");
    }
    if (head[6] < 1 || head[6] > 3 || head[7] != 0) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_npy_read", r->name,
                             ".npy version %d.%d, expected 1.0, 2.0 or 3.0", head[6], head[7]);
    }
    if (head[6] > 1 && (status = vdi__read_exact(r, head + 10, 2, "the .npy header", err)) < 0)
        return status;
    size_t length = (size_t)vdi__get_le(head + 8, head[6] > 1 ? 4 : 2);
    if (length > VDI__NPY_HEADER_MAX) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_npy_read", r->name,
                             "a .npy header of %zu bytes, at most %zu are read", length,
                             VDI__NPY_HEADER_MAX);
    }
    if (length <= sizeof small)
        status = vdi__read_exact(r, small, length, "the .npy header", err);
    else
        status = vdi__read_block(r, a, length, "the .npy header", &big, err);
    if (status == VDI_OK)
        status = vdi__npy_parse(&h, big ? (const char *)big : small, length, r->name, err);
    vdi_free(a, big, length);
    if (status < 0) return status;
    int64_t n = vdi__shape_count(h.ndim, h.shape);
    int64_t left = member >= 0 ? member - (r->at - start) : vdi__reader_left(r);
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

/* The bytes before the data: a multiple of 64, so that the data of a mapped file are aligned.
 * Longest: 6 axes of 19 digits, 218. */
VDI__FN size_t vdi__npy_header_text(char h[256], vdi_tensor t) {
    static const char *const descr[VDI_DTYPE_COUNT] = {"<f4", "<f8", "|u1", "<i2",
                                                       "<i4", "<i8", "|b1"};
    size_t n = vdi_text_copy(h, 256, "\x93NUMPY\x01___{'descr': '");
    n += vdi_text_format(h + n, 256 - n, "%s', 'fortran_order': False, 'shape': (", descr[t.dtype]);
    for (int i = 0; i < t.ndim; i++) {
        n += vdi_text_format(h + n, 256 - n,
                             i + 1 < t.ndim ? "%lld, "
                             : t.ndim == 1  ? "%lld,"
                                            : "%lld",
                             (long long)t.shape[i]);
    }
    n += vdi_text_copy(h + n, 256 - n, "), }");
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

/* ---- npz ---- */

enum { VDI__NPZ_NAME_MAX = 250 };

VDI__DEF vdi_status vdi_npz_open(vdi_npz *npz, vdi_reader r, const vdi_allocator *a,
                                 vdi_error *err) {
    memset(npz, 0, sizeof *npz);
    vdi_status status = vdi_zip_open(&npz->zip, r, a, err);
    if (status < 0) return status;
    int64_t n = npz->zip.count;
    npz->name =
        (const char **)vdi_arena_alloc(&npz->zip.arena, vdi_mul_size((size_t)n, sizeof *npz->name));
    for (int64_t i = 0; i < n && npz->name; i++) {
        const char *full = npz->zip.member[i].name;
        size_t length = strlen(full);
        if (length >= 4 && memcmp(full + length - 4, ".npy", 4) == 0) length -= 4;
        char *copy = (char *)vdi_arena_alloc(&npz->zip.arena, length + 1);
        if (!copy) {
            npz->name = NULL;
        } else {
            memcpy(copy, full, length);
            copy[length] = 0;
            npz->name[i] = copy;
        }
    }
    if (npz->name) {
        npz->count = n;
    } else {
        status =
            vdi__io_error(err, VDI_ERR_MEMORY, "vdi_npz_open", r.name, "no memory for the names");
        vdi_npz_close(npz);
    }
    return status;
}

VDI__DEF void vdi_npz_close(vdi_npz *npz) {
    vdi_zip_close(&npz->zip);
#ifndef VDI_NO_STDIO
    vdi_reader_close(&npz->file);
#endif
    npz->name = NULL;
    npz->count = 0;
}

VDI__FN vdi_status vdi__npz_missing(const vdi_npz *npz, const char *name, vdi_error *err) {
    char list[100];
    size_t n = 0;
    list[0] = 0;
    for (int64_t i = 0; i < npz->count && n + 20 < sizeof list; i++) {
        n += vdi_text_format(list + n, sizeof list - n, n + 40 < sizeof list ? "%s%s" : "%s...",
                             i ? " " : "", npz->name[i]);
    }
    if (!name) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_npy_load", npz->zip.reader.name,
                             "an archive of %lld arrays (%s): name one as FILE.npz:NAME",
                             (long long)npz->count, list);
    }
    return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_npz_get", npz->zip.reader.name,
                         "no array '%s'; there are: %s", name, list);
}

VDI__DEF vdi_status vdi_npz_get(vdi_npz *npz, const char *name, const vdi_allocator *a,
                                vdi_tensor *out, vdi_error *err) {
    vdi_reader member;
    vdi_error damage;
    int64_t i = 0;
    *out = vdi__tensor_null();
    while (i < npz->count && strcmp(npz->name[i], name) != 0)
        i++;
    if (i == npz->count) i = vdi_zip_find(&npz->zip, name);
    if (i < 0) return vdi__npz_missing(npz, name, err);
    vdi_status status = vdi_zip_enter(&npz->zip, i, &member, err);
    if (status < 0) return status;
    status = vdi__npy_read(&member, a, npz->zip.member[i].size, out, err);
    /* If it could not be read, damage to the packed data is the better explanation. */
    bool damaged = npz->zip.open->packed.why || status == VDI_OK;
    vdi_status end = vdi_zip_leave(&npz->zip, &damage);
    if (end < 0 && damaged) {
        if (err) *err = damage;
        status = end;
    }
    if (status < 0) vdi_tensor_free(a, out);
    return status;
}

VDI__FN vdi_status vdi__npz_check(const vdi_named_tensor *tensors, int64_t count, const char *file,
                                  vdi_error *err) {
    for (int64_t i = 0; i < count; i++) {
        const char *name = tensors[i].name;
        const vdi_status status = vdi__tensor_check(tensors[i].tensor, "vdi_npz_write", file, err);
        if (status < 0) return status;
        bool good = name && *name && strlen(name) <= VDI__NPZ_NAME_MAX && vdi__utf8_valid(name);
        for (int64_t k = 0; k < i && good; k++)
            good = strcmp(name, tensors[k].name) != 0;
        if (good) continue;
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_npz_write", file,
                             "name %lld is empty, taken, no UTF-8 or longer than %d bytes",
                             (long long)i, VDI__NPZ_NAME_MAX);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_npz_write(vdi_writer *w, const vdi_named_tensor *tensors, int64_t count,
                                  const vdi_allocator *a, vdi_error *err) {
    vdi_zip_writer zip;
    vdi__crc crc;
    vdi_writer dry;
    vdi_status status = vdi__npz_check(tensors, count, w->name, err);
    if (status < 0) return status;
    vdi__crc_begin(&crc);
    vdi_zip_begin(&zip, w, a);
    for (int64_t i = 0; i < count; i++) { /* twice over the data: the CRC stands before them */
        char head[256], name[VDI__NPZ_NAME_MAX + sizeof ".npy"];
        size_t n = vdi__npy_header_text(head, tensors[i].tensor);
        (void)vdi_text_format(name, sizeof name, "%s.npy", tensors[i].name);
        crc.value = 0;
        vdi_writer_init(&dry, vdi__crc_write, &crc, NULL);
        vdi_write(&dry, head, n);
        vdi__write_array(&dry, tensors[i].tensor);
        (void)vdi_writer_flush(&dry, NULL);
        vdi__zip_announce(&zip, name, (uint64_t)dry.written, crc.value);
        vdi_write(w, head, n);
        vdi__write_array(w, tensors[i].tensor);
    }
    return vdi_zip_end(&zip, err);
}

/* ---- by path ---- */
#ifndef VDI_NO_STDIO

VDI__DEF vdi_status vdi_npz_open_file(vdi_npz *npz, const char *path, const vdi_allocator *a,
                                      vdi_error *err) {
    vdi_reader file;
    vdi_status status;
    memset(npz, 0, sizeof *npz);
    if ((status = vdi_reader_open(&file, path, err)) < 0) return status;
    if ((status = vdi_npz_open(npz, file, a, err)) < 0)
        vdi_reader_close(&file);
    else
        npz->file = file;
    return status;
}

VDI__FN vdi_status vdi__npy_load_member(const char *path, const char *name, const vdi_allocator *a,
                                        vdi_tensor *out, vdi_error *err) {
    vdi_npz npz;
    vdi_status status = vdi_npz_open_file(&npz, path, a, err);
    if (status < 0) return status;
    if (name || npz.count == 1)
        status = vdi_npz_get(&npz, name ? name : npz.name[0], a, out, err);
    else
        status = vdi__npz_missing(&npz, NULL, err);
    vdi_npz_close(&npz);
    return status;
}

VDI__DEF vdi_status vdi_npy_load(const char *path, const vdi_allocator *a, vdi_tensor *out,
                                 vdi_error *err) {
    vdi_reader r;
    vdi_status status;
    size_t length = path ? strlen(path) : 0;
    *out = vdi__tensor_null();
    for (size_t i = length; i-- > 0;) {
        if (length - i < 4 || memcmp(path + i, ".npz", 4) != 0 ||
            (path[i + 4] != ':' && path[i + 4] != 0))
            continue;
        if (path[i + 4] == 0) return vdi__npy_load_member(path, NULL, a, out, err);
        char *file = (char *)vdi_alloc(a, i + 5);
        if (!file) {
            return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_npy_load", path,
                                 "no memory for the path");
        }
        memcpy(file, path, i + 4);
        file[i + 4] = 0;
        status = vdi__npy_load_member(file, path + i + 5, a, out, err);
        vdi_free(a, file, i + 5);
        return status;
    }
    if ((status = vdi_reader_open(&r, path, err)) < 0) return status;
    status = vdi_npy_read(&r, a, out, err);
    char more;
    if (status == VDI_OK && vdi_read(&r, &more, 1) > 0) {
        vdi_tensor_free(a, out);
        status = vdi__io_error(err, VDI_ERR_FORMAT, "vdi_npy_load", path,
                               "data follow the array: expected the file to end at byte %lld",
                               (long long)(r.at - 1));
    }
    vdi_reader_close(&r);
    return status;
}

VDI__DEF vdi_status vdi_npy_save(const char *path, vdi_tensor t, vdi_error *err) {
    vdi_writer w;
    /* before a file is emptied */
    vdi_status status = vdi__tensor_check(t, "vdi_npy_save", path, err);
    if (status == VDI_OK) status = vdi_writer_open(&w, path, err);
    if (status < 0) return status;
    vdi_error first;
    status = vdi_npy_write(&w, t, &first);
    vdi_status closed = vdi_writer_close(&w, err);
    if (status < 0 && err) *err = first;
    return status < 0 ? status : closed;
}

VDI__DEF vdi_status vdi_npz_save(const char *path, const vdi_named_tensor *tensors, int64_t count,
                                 vdi_error *err) {
    vdi_writer w;
    vdi_error first;
    vdi_status status = vdi__npz_check(tensors, count, path, err); /* before a file is emptied */
    if (status == VDI_OK) status = vdi_writer_open(&w, path, err);
    if (status < 0) return status;
    status = vdi_npz_write(&w, tensors, count, NULL, &first);
    vdi_status closed = vdi_writer_close(&w, err);
    if (status < 0 && err) *err = first;
    return status < 0 ? status : closed;
}
#endif
#endif
