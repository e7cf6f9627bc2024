/* io/binary.h - arrays as the binary formats store them
 *
 * npy, safetensors and MATLAB files all hold elements of one type in one byte order, rows or
 * columns first. This file converts them to tensors, and tensors to bytes. There is no public part.
 *
 * A stored type is a row of the table: its name in each format, its size, the dtype that it becomes
 * and, where vdi lacks the type itself, the function that widens an element to one that holds it.
 */
#ifndef VDI_IO_BINARY_H
#define VDI_IO_BINARY_H
#include "stream.h"

struct vdi__stored;

#endif /* VDI_IO_BINARY_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_BINARY_C)
#define VDI_IO_BINARY_C

/* ---- byte order ---- */

VDI__FN bool vdi__host_is_big(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

VDI__FN void vdi__swap_bytes(void *data, int64_t count, size_t size) {
    uint8_t *p = (uint8_t *)data;
    for (int64_t i = 0; i < count; i++, p += size) {
        for (size_t k = 0; k < size / 2; k++) {
            uint8_t t = p[k];
            p[k] = p[size - 1 - k];
            p[size - 1 - k] = t;
        }
    }
}

/* ---- elements ---- */

/* Element i of `from` into element i of `to`; false if `to` cannot hold it (a uint64_t alone). */
typedef bool vdi__widen_fn(const void *from, int64_t i, void *to);

typedef struct vdi__stored {
    const char *npy, *safetensors; /* without the byte order; NULL: not in that format */
    int matlab;                    /* the number of the type in a .mat file, or 0 */
    uint8_t size;
    vdi_dtype dtype;
    vdi__widen_fn *widen; /* NULL: the bytes are the element */
} vdi__stored;

VDI__FN float vdi__half_to_float(uint32_t h) {
    const uint32_t exponent = h >> 10 & 31, fraction = h & 1023;
    double x = ldexp((double)fraction, -24);
    if (exponent == 31) x = fraction ? (double)NAN : (double)INFINITY;
    if (exponent > 0 && exponent < 31) x = ldexp((double)(fraction + 1024), (int)exponent - 25);
    return (float)(h >> 15 ? -x : x);
}

VDI__FN bool vdi__widen_half(const void *from, int64_t i, void *to) {
    ((float *)to)[i] = vdi__half_to_float(((const uint16_t *)from)[i]);
    return true;
}
VDI__FN bool vdi__widen_bfloat(const void *from, int64_t i, void *to) {
    const uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
    memcpy((float *)to + i, &bits, sizeof bits);
    return true;
}
VDI__FN bool vdi__widen_i1(const void *from, int64_t i, void *to) {
    ((int16_t *)to)[i] = ((const int8_t *)from)[i];
    return true;
}
VDI__FN bool vdi__widen_u2(const void *from, int64_t i, void *to) {
    ((int32_t *)to)[i] = ((const uint16_t *)from)[i];
    return true;
}
VDI__FN bool vdi__widen_u4(const void *from, int64_t i, void *to) {
    ((int64_t *)to)[i] = ((const uint32_t *)from)[i];
    return true;
}
VDI__FN bool vdi__widen_u8(const void *from, int64_t i, void *to) {
    const uint64_t x = ((const uint64_t *)from)[i];
    if (x > (uint64_t)INT64_MAX) return false;
    ((int64_t *)to)[i] = (int64_t)x;
    return true;
}
VDI__FN bool vdi__widen_bool(const void *from, int64_t i, void *to) {
    ((uint8_t *)to)[i] = ((const uint8_t *)from)[i] != 0;
    return true;
}

/* vdi's own types first, in the order of vdi_dtype. */
static const vdi__stored vdi__stored_types[] = {
    {"f4", "F32", 7, 4, VDI_F32, NULL},
    {"f8", "F64", 9, 8, VDI_F64, NULL},
    {"u1", "U8", 2, 1, VDI_U8, NULL},
    {"i2", "I16", 3, 2, VDI_I16, NULL},
    {"i4", "I32", 5, 4, VDI_I32, NULL},
    {"i8", "I64", 12, 8, VDI_I64, NULL},
    {"b1", "BOOL", 0, 1, VDI_BOOL, vdi__widen_bool},
    {"i1", "I8", 1, 1, VDI_I16, vdi__widen_i1},
    {"u2", "U16", 4, 2, VDI_I32, vdi__widen_u2},
    {"u4", "U32", 6, 4, VDI_I64, vdi__widen_u4},
    {"u8", "U64", 13, 8, VDI_I64, vdi__widen_u8},
    {"f2", "F16", 0, 2, VDI_F32, vdi__widen_half},
    {NULL, "BF16", 0, 2, VDI_F32, vdi__widen_bfloat},
};

/* `raw` (n elements as stored, in the machine's byte order) becomes t; true if it is t's memory
 * now, else the caller still has to free it. */
VDI__FN bool vdi__widen_array(const vdi_reader *r, const vdi_allocator *a, const vdi__stored *type,
                              void *raw, vdi_tensor *t, vdi_status *status, vdi_error *err) {
    const int64_t n = vdi_tensor_count(*t);
    const bool in_place = type->size == vdi_dtype_size(type->dtype);
    t->data = raw;
    *status = VDI_OK;
    if (!type->widen) return true;
    if (!in_place) {
        *status = vdi_tensor_alloc(a, type->dtype, t->ndim, t->shape, t, err);
        if (*status < 0) return false;
    }
    for (int64_t i = 0; i < n; i++) {
        if (type->widen(raw, i, t->data)) continue;
        *status = vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_read", r->name,
                                "element %lld is %llu, which int64 does not hold", (long long)i,
                                (unsigned long long)((const uint64_t *)raw)[i]);
        break;
    }
    return in_place;
}

/* The axes in reverse order: what was stored columns first. */
VDI__FN vdi_status vdi__transpose_array(const vdi_allocator *a, vdi_tensor *t, vdi_error *err) {
    int order[VDI_MAX_DIMS];
    vdi_tensor reversed, rows_first;
    for (int i = 0; i < t->ndim; i++)
        order[i] = t->ndim - 1 - i;
    reversed = vdi_tensor_permute(*t, order);
    vdi_status status = vdi_tensor_alloc(a, t->dtype, t->ndim, reversed.shape, &rows_first, err);
    if (status >= 0) status = vdi_tensor_copy(rows_first, reversed, err);
    vdi_tensor_free(a, t);
    *t = rows_first;
    return status;
}

/* The next array of the stream in row-major order, as a tensor of its own: byte order, width and
 * Fortran order are seen to. */
VDI__FN vdi_status vdi__read_array(vdi_reader *r, const vdi_allocator *a, const vdi__stored *type,
                                   bool big, bool fortran, int ndim, const int64_t *shape,
                                   vdi_tensor *out, vdi_error *err) {
    int64_t stored[VDI_MAX_DIMS];
    const int64_t n = vdi__shape_count(ndim, shape);
    *out = vdi__tensor_null();
    if (n < 0) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_read", r->name,
                             "the shape is beyond the memory of any machine");
    }
    const size_t bytes = (size_t)n * type->size;
    void *raw;
    vdi_status status = vdi__read_block(r, a, bytes, "the array", &raw, err);
    if (status < 0) return status;
    if (big != vdi__host_is_big()) vdi__swap_bytes(raw, n, type->size);
    for (int i = 0; i < ndim; i++)
        stored[i] = fortran ? shape[ndim - 1 - i] : shape[i];
    vdi_tensor t = vdi_tensor_view(NULL, type->dtype, ndim, stored);
    if (!vdi__widen_array(r, a, type, raw, &t, &status, err)) vdi_free(a, raw, bytes);
    if (status >= 0 && fortran && ndim > 1) status = vdi__transpose_array(a, &t, err);
    if (status < 0)
        vdi_tensor_free(a, &t);
    else
        *out = t;
    return status;
}

/* Which of the arrays of a file is meant? `name` NULL: the only one. VDI_ERR_ARGUMENT says which
 * there are. */
VDI__FN vdi_status vdi__name_find(const char *const *names, int64_t count, const char *name,
                                  const char *where, const char *file, int64_t *index,
                                  vdi_error *err) {
    char list[100];
    size_t n = 0;
    *index = 0;
    if (!name && count == 1) return VDI_OK;
    for (int64_t i = 0; name && i < count; i++) {
        *index = i;
        if (strcmp(names[i], name) == 0) return VDI_OK;
    }
    (void)vdi_text_copy(list, sizeof list, "none");
    for (int64_t i = 0; i < count && n + 20 < sizeof list; i++) {
        n += vdi_text_format(list + n, sizeof list - n, n + 40 < sizeof list ? "%s%s" : "%s...",
                             i ? " " : "", names[i]);
    }
    if (name) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, where, file, "no array '%s'; there are: %s",
                             name, list);
    }
    return vdi__io_error(err, VDI_ERR_ARGUMENT, where, file,
                         "it holds %lld arrays (%s): name one as FILE:NAME", (long long)count,
                         list);
}

/* HDF5 is a file system of its own, which vdi does not read: but it knows one, and says what helps.
 * */
VDI__FN bool vdi__hdf5_begins(const uint8_t *head, size_t size) {
    return size >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0;
}
/* `transposed` is ".T" where the file was written columns first. */
VDI__FN vdi_status vdi__hdf5_refuse(const char *file, const char *transposed, vdi_error *err) {
    return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_array_read", file,
                         "an HDF5 file. In Python: import h5py, numpy; "
                         "numpy.save('x.npy', h5py.File('FILE')['NAME'][()]%s)",
                         transposed);
}

/* A row of io/array.h. */
VDI__FN vdi_status vdi__hdf5_array(vdi_reader *r, const char *name, const vdi_allocator *a,
                                   vdi_tensor *out, vdi_error *err) {
    (void)name;
    (void)a;
    (void)out;
    return vdi__hdf5_refuse(r->name, "", err);
}

/* Can it be written? */
VDI__FN vdi_status vdi__tensor_check(vdi_tensor t, const char *where, const char *name,
                                     vdi_error *err) {
    if (vdi_tensor_ok(t) && (unsigned)t.dtype < VDI_DTYPE_COUNT &&
        (t.data || vdi_tensor_count(t) == 0))
        return VDI_OK;
    return vdi__io_error(err, VDI_ERR_ARGUMENT, where, name,
                         "a tensor to write is the null tensor, or has no data");
}

/* The elements of t in row-major order, little-endian. */
VDI__FN void vdi__write_array(vdi_writer *w, vdi_tensor t) {
    size_t size = vdi_dtype_size(t.dtype);
    bool swap = vdi__host_is_big() && size > 1;
    if (vdi_tensor_count(t) == 0) return;
    if (!swap && vdi_tensor_is_contiguous(t)) {
        vdi_write(w, t.data, vdi_tensor_bytes(t));
        return;
    }
    uint8_t block[2048];
    int64_t n = t.ndim ? t.shape[t.ndim - 1] : 1;
    int64_t step = t.ndim ? t.stride[t.ndim - 1] : 1;
    int64_t most = (int64_t)(sizeof block / size);
    for (vdi__rows rows = vdi__rows_begin(t); rows.left > 0; vdi__rows_next(&rows, t)) {
        const uint8_t *p = (const uint8_t *)vdi__tensor_at(t, vdi__rows_offset(&rows, t));
        if (step == 1 && !swap) {
            vdi_write(w, p, (size_t)n * size);
            continue;
        }
        for (int64_t at = 0, count; at < n; at += count) {
            /* gathered block by block; copies of constant size are single moves */
            count = VDI__MIN(most, n - at);
            for (int64_t i = 0; i < count; i++) {
                const uint8_t *from = p + (at + i) * step * (int64_t)size;
                if (size == 8)
                    memcpy(block + 8 * i, from, 8);
                else if (size == 4)
                    memcpy(block + 4 * i, from, 4);
                else
                    memcpy(block + (int64_t)size * i, from, size);
            }
            if (swap) vdi__swap_bytes(block, count, size);
            vdi_write(w, block, (size_t)count * size);
        }
    }
}

/* The shortest text that reads back to the same element; integers exactly. */
VDI__FN size_t vdi__text_element(char *buf, vdi_tensor t, const void *p, int64_t i) {
    if (!vdi_dtype_is_real(t.dtype)) {
        long long x = t.dtype == VDI_I64 ? (long long)((const int64_t *)p)[i]
                                         : (long long)vdi_dtype_load(t.dtype, p, i);
        return vdi_text_format(buf, VDI_TEXT_NUMBER, "%lld", x);
    }
    double x = vdi_dtype_load(t.dtype, p, i), back;
    if (t.dtype == VDI_F64 || !vdi__is_finite(x)) return vdi_text_double(buf, x, 0);
    for (int digits = 6;; digits++) { /* 9 digits tell any two floats apart */
        size_t n = vdi_text_double(buf, x, digits);
        if (digits >= 9 || (vdi_text_parse_double(buf, n, &back) == n && (double)(float)back == x))
            return n;
    }
}
#endif
