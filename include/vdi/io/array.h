/* io/array.h - an array from a file of any known format
 *
 * Do this:
 *     vdi_tensor y;
 *     if (vdi_array_load("counts.npy", NULL, &y, &err) < 0) puts(err.message);
 *     vdi_tensor_free(NULL, &y);
 *     if (vdi_array_load("session.mat:counts", NULL, &y, &err) < 0) puts(err.message);
 *     vdi_tensor_free(NULL, &y);
 *
 * The format is taken from the extension of the file or, if that is not one of the list below, from
 * its first bytes. In files of several arrays, ":NAME" after the path selects one; it may be
 * omitted if there is only one. The dtype is the file's. A table as text is float64 (rows,cols),
 * with NaN where a cell is empty.
 *
 * .npy .npz .csv .tsv .txt .mat .safetensors are read; for .h5 .hdf5 .nwb, and .mat of version 7.3,
 * the error message gives the lines of Python that convert them. A format is a row of the table at
 * the end, and its two functions stand in its own file.
 * Memory: the tensor is yours, vdi_tensor_free with the same allocator. Errors: those of the
 * format.
 */
#ifndef VDI_IO_ARRAY_H
#define VDI_IO_ARRAY_H
#include "csv.h"
#include "mat.h"
#include "npy.h"
#include "npz.h"
#include "safetensors.h"

/** A format that arrays are read from. */
typedef struct vdi_array_format {
    const char *name;       /**< "NumPy array" */
    const char *extensions; /**< ".npy", or several: ".csv .tsv" */
    bool several;           /**< a file holds several arrays, by name */
    /** Do these first bytes of a file belong to it? */
    bool (*begins)(const uint8_t *head, size_t size);
    /** Read the array `name` (NULL: the only one) of a stream that stands at its beginning. */
    vdi_status (*read)(vdi_reader *r, const char *name, const vdi_allocator *a, vdi_tensor *out,
                       vdi_error *err);
} vdi_array_format;

/** Format number i, or NULL behind the last: for help texts. */
VDI_API const vdi_array_format *vdi_array_format_at(int i);
/** Read the array `name` (NULL: the only one), in the format of the first bytes. The stream must be
 * able to seek. VDI_ERR_UNSUPPORTED if the format is unknown. */
VDI_API VDI_NODISCARD vdi_status vdi_array_read(vdi_reader *r, const char *name,
                                                const vdi_allocator *a, vdi_tensor *out,
                                                vdi_error *err);
#ifndef VDI_NO_STDIO
/** Load "file" or "file:name". VDI_ERR_UNSUPPORTED if the format is unknown. */
VDI_API VDI_NODISCARD vdi_status vdi_array_load(const char *path, const vdi_allocator *a,
                                                vdi_tensor *out, vdi_error *err);
#endif

#endif /* VDI_IO_ARRAY_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_ARRAY_C)
#define VDI_IO_ARRAY_C

/* One row per format. Text comes last: its first bytes are almost anything. */
static const vdi_array_format vdi__array_formats[] = {
    {"NumPy array", ".npy", false, vdi__npy_begins, vdi__npy_array},
    {"NumPy arrays by name", ".npz", true, vdi__npz_begins, vdi__npz_array},
    {"HDF5 (says how to convert it)", ".h5 .hdf5 .nwb", true, vdi__hdf5_begins, vdi__hdf5_array},
    {"MATLAB, versions 5 to 7", ".mat", true, vdi__mat_begins, vdi__mat_array},
    {"safetensors", ".safetensors", true, vdi__safetensors_begins, vdi__safetensors_array},
    {"table as text", ".csv .tsv .txt", false, vdi__csv_begins, vdi__csv_array},
};

VDI__DEF const vdi_array_format *vdi_array_format_at(int i) {
    return i >= 0 && (size_t)i < VDI__COUNT(vdi__array_formats) ? &vdi__array_formats[i] : NULL;
}

/* The format by the first bytes, NULL with an error; the stream stands at its beginning again. */
VDI__FN const vdi_array_format *vdi__array_by_bytes(vdi_reader *r, vdi_status *status,
                                                    vdi_error *err) {
    uint8_t head[512];
    const int64_t begin = r->at, got = vdi_read(r, head, sizeof head);
    if (got < 0 || (got > 0 && !vdi__reader_seek(r, begin))) {
        *status = vdi__io_error(err, VDI_ERR_IO, "vdi_array_read", r->name, "cannot read or seek");
        return NULL;
    }
    for (size_t i = 0; i < VDI__COUNT(vdi__array_formats); i++) {
        if (vdi__array_formats[i].begins(head, (size_t)got)) return &vdi__array_formats[i];
    }
    *status = vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_array_read", r->name,
                            "an unknown format; expected .npy, .npz, .csv, .tsv, .txt, .mat or "
                            ".safetensors");
    return NULL;
}

VDI__FN vdi_status vdi__array_read(vdi_reader *r, const vdi_array_format *f, const char *name,
                                   const vdi_allocator *a, vdi_tensor *out, vdi_error *err) {
    vdi_status status = VDI_OK;
    *out = vdi__tensor_null();
    if (!f) f = vdi__array_by_bytes(r, &status, err);
    if (f && name && !f->several) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_array_read", r->name,
                             "it holds one array, without a name; asked for '%s'", name);
    }
    return f ? f->read(r, name, a, out, err) : status;
}

VDI__DEF vdi_status vdi_array_read(vdi_reader *r, const char *name, const vdi_allocator *a,
                                   vdi_tensor *out, vdi_error *err) {
    return vdi__array_read(r, NULL, name, a, out, err);
}

/* ---- by path ---- */
#ifndef VDI_NO_STDIO

/* Does path[0..n) end in one of the extensions? In any case of letters. */
VDI__FN bool vdi__array_is(const vdi_array_format *f, const char *path, size_t n) {
    for (const char *e = f->extensions; *e; e += *e == ' ') {
        const size_t length = strcspn(e, " ");
        size_t same = 0;
        while (same < length && length < n) {
            const char c = path[n - length + same];
            if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != e[same]) break;
            same++;
        }
        if (same == length) return true;
        e += length;
    }
    return false;
}

/* The format of the path up to its length n, NULL if no extension tells. */
VDI__FN const vdi_array_format *vdi__array_by_path(const char *path, size_t n) {
    for (size_t i = 0; i < VDI__COUNT(vdi__array_formats); i++) {
        if (vdi__array_is(&vdi__array_formats[i], path, n)) return &vdi__array_formats[i];
    }
    return NULL;
}

VDI__DEF vdi_status vdi_array_load(const char *path, const vdi_allocator *a, vdi_tensor *out,
                                   vdi_error *err) {
    vdi_reader r;
    *out = vdi__tensor_null();
    if (!path) return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_array_load", "the path is NULL");
    const size_t whole = strlen(path);
    size_t length = whole;
    const vdi_array_format *f = vdi__array_by_path(path, whole);
    /* else the last ':' behind an extension: there may be one in a name, or behind a drive */
    for (size_t n = whole; !f && n-- > 0;) {
        if (path[n] != ':') continue;
        f = vdi__array_by_path(path, n);
        if (f) length = n;
    }
    char *file = (char *)vdi_alloc(a, length + 1);
    if (!file)
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_array_load", path, "no memory for the path");
    memcpy(file, path, length);
    file[length] = 0;
    vdi_status status = vdi_reader_open(&r, file, err);
    if (status >= 0) {
        const char *name = length < whole ? path + length + 1 : NULL;
        status = vdi__array_read(&r, f, name, a, out, err);
        vdi_reader_close(&r);
    }
    vdi_free(a, file, length + 1);
    return status;
}
#endif
#endif
