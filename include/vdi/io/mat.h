/* io/mat.h - MATLAB's files of versions 5 to 7, .mat: numeric arrays by name
 *
 * Do this:
 *     vdi_mat mat;
 *     vdi_tensor y;
 *     if (vdi_mat_open_file(&mat, "session.mat", NULL, &err) == VDI_OK) {
 *         for (int64_t i = 0; i < mat.count; i++) puts(mat.name[i]);
 *         if (vdi_mat_get(&mat, "spikes", NULL, &y, &err) < 0) puts(err.message);
 *         vdi_mat_close(&mat);
 *     }
 *
 * Source: MAT-File Format, The MathWorks (level 5). Either byte order, packed variables (-v7) too.
 * The tensor is row-major and has the shape that MATLAB shows, at least two axes. double, single,
 * logical, uint8, int16, int32 and int64 keep their type; int8, uint16, uint32 become the next
 * wider signed one, uint64 int64 where every value fits.
 *
 * Does NOT: read structures, cells, text, sparse or complex arrays (VDI_ERR_UNSUPPORTED, with the
 * line of MATLAB that helps), version 7.3, which is HDF5 (the message says how to convert it), or
 * write.
 * Trust: a length is checked against the bytes present before memory is allocated; a packed
 * variable is unpacked as it is read, and its checksum has to be right.
 * Memory: the list of variables, and 52 KiB while a packed one is read; freed by vdi_mat_close.
 */
#ifndef VDI_IO_MAT_H
#define VDI_IO_MAT_H
#include "../core/tensor.h"
#include "binary.h"
#include "inflate.h"
#include "stream.h"

struct vdi__mat_variable;
/** An open .mat file; `name` and `count` are yours to read. */
typedef struct vdi_mat {
    const char **name; /**< of each variable, whatever its kind */
    int64_t count;     /**< variables */
    /* private */
    vdi_reader reader;
    vdi_reader file; /* where vdi_mat_open_file opened one */
    vdi_arena arena;
    char *whole; /* the file, where its stream cannot seek */
    size_t whole_size;
    bool big; /* its byte order */
    struct vdi__mat_variable **variable;
} vdi_mat;

/** Read the list of variables. What `r` stands on must outlive the list. Pair with vdi_mat_close
 * (also harmless after a failure). */
VDI_API VDI_NODISCARD vdi_status vdi_mat_open(vdi_mat *mat, vdi_reader r, const vdi_allocator *a,
                                              vdi_error *err);
/** One variable by name (NULL: the only one); VDI_ERR_ARGUMENT with the names there are if it is
 * not among them. */
VDI_API VDI_NODISCARD vdi_status vdi_mat_get(vdi_mat *mat, const char *name, const vdi_allocator *a,
                                             vdi_tensor *out, vdi_error *err);
/** Give its memory back, and close its file. */
VDI_API void vdi_mat_close(vdi_mat *mat);

#ifndef VDI_NO_STDIO
/** Open a .mat file. `path` must outlive it. */
VDI_API VDI_NODISCARD vdi_status vdi_mat_open_file(vdi_mat *mat, const char *path,
                                                   const vdi_allocator *a, vdi_error *err);
#endif

#endif /* VDI_IO_MAT_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_MAT_C)
#define VDI_IO_MAT_C

enum {
    VDI__MAT_HEADER = 128, /* bytes before the first element */
    VDI__MAT_INT8 = 1,     /* types of elements, beside those of vdi__stored_types */
    VDI__MAT_INT32 = 5,
    VDI__MAT_UINT32 = 6,
    VDI__MAT_MATRIX = 14,
    VDI__MAT_COMPRESSED = 15,
    VDI__MAT_UTF8 = 16,
    VDI__MAT_NAME = 255,     /* longest name; MATLAB's have 63 bytes */
    VDI__MAT_UINT8_CLASS = 9 /* the class of logical arrays */
};

/* What a variable is, by the number of its class: what it becomes, or why it cannot be read. */
typedef struct vdi__mat_class {
    const char *why; /* NULL: it becomes a tensor of */
    vdi_dtype dtype;
} vdi__mat_class;
static const vdi__mat_class vdi__mat_classes[] = {
    {"of an unknown kind", VDI_F64},
    {"a cell array: save its cells one by one", VDI_F64},
    {"a structure: save its fields with save -struct", VDI_F64},
    {"an object: save its numbers", VDI_F64},
    {"text, expected numbers", VDI_F64},
    {"a sparse array: save full(x)", VDI_F64},
    {NULL, VDI_F64}, /* double */
    {NULL, VDI_F32}, /* single */
    {NULL, VDI_I16}, /* int8 */
    {NULL, VDI_U8},  /* uint8 */
    {NULL, VDI_I16}, /* int16 */
    {NULL, VDI_I32}, /* uint16 */
    {NULL, VDI_I32}, /* int32 */
    {NULL, VDI_I64}, /* uint32 */
    {NULL, VDI_I64}, /* int64 */
    {NULL, VDI_I64}, /* uint64 */
};

typedef struct vdi__mat_variable {
    struct vdi__mat_variable *next; /* while the list is made */
    int64_t at, size;               /* of its bytes in the file, behind the tag */
    bool packed;
    int class_number, ndim;
    bool complex_, logical;
    int64_t shape[VDI_MAX_DIMS];
    char name[VDI__MAT_NAME + 1];
} vdi__mat_variable;

VDI__FN vdi_status vdi__mat_bad(const vdi_mat *mat, const char *what, vdi_error *err) {
    return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_mat_open", mat->reader.name,
                         "not a valid MATLAB file: %s", what);
}

/* ---- elements: a tag of type and length, then the data, filled up to a multiple of eight ---- */

typedef struct vdi__mat_tag {
    uint32_t type, bytes;
    bool small; /* the data, up to four bytes, stand in the tag */
    uint8_t data[4];
} vdi__mat_tag;

VDI__FN uint32_t vdi__mat_u32(const vdi_mat *mat, const uint8_t *p) {
    uint8_t little[4];
    for (int i = 0; i < 4; i++)
        little[i] = p[mat->big ? 3 - i : i];
    return (uint32_t)vdi__get_le(little, 4);
}

VDI__FN vdi_status vdi__mat_tag_read(const vdi_mat *mat, vdi_reader *r, vdi__mat_tag *tag,
                                     vdi_error *err) {
    uint8_t p[8];
    const vdi_status status = vdi__read_exact(r, p, sizeof p, "a tag", err);
    if (status < 0) return status;
    tag->type = vdi__mat_u32(mat, p);
    tag->bytes = vdi__mat_u32(mat, p + 4);
    tag->small = tag->type >> 16 != 0;
    if (!tag->small) return VDI_OK;
    tag->bytes = tag->type >> 16;
    tag->type &= 0xFFFF;
    memcpy(tag->data, p + 4, sizeof tag->data);
    return tag->bytes <= 4 ? VDI_OK : vdi__mat_bad(mat, "a small element is not small", err);
}

/* An element of one of two types (other writers mix up signed and unsigned, and take UTF-8) and of
 * at most `cap` bytes, into buf; *bytes of them. */
VDI__FN vdi_status vdi__mat_part(const vdi_mat *mat, vdi_reader *r, uint32_t type, uint32_t other,
                                 void *buf, size_t cap, size_t *bytes, vdi_error *err) {
    vdi__mat_tag tag;
    uint8_t fill[8];
    vdi_status status = vdi__mat_tag_read(mat, r, &tag, err);
    if (status < 0) return status;
    if ((tag.type != type && tag.type != other) || tag.bytes > cap)
        return vdi__mat_bad(mat, "the head of a variable is damaged", err);
    *bytes = tag.bytes;
    if (tag.small) {
        memcpy(buf, tag.data, tag.bytes);
        return VDI_OK;
    }
    status = vdi__read_exact(r, buf, tag.bytes, "the head of a variable", err);
    const size_t rest = (8 - tag.bytes % 8) % 8;
    return status < 0 ? status : vdi__read_exact(r, fill, rest, "the head of a variable", err);
}

/* Class, shape and name of a variable, from the elements that a matrix begins with. */
VDI__FN vdi_status vdi__mat_head(const vdi_mat *mat, vdi_reader *r, vdi__mat_variable *v,
                                 vdi_error *err) {
    uint8_t flags[8], dims[4 * 64];
    size_t bytes;
    vdi_status status =
        vdi__mat_part(mat, r, VDI__MAT_UINT32, VDI__MAT_INT32, flags, sizeof flags, &bytes, err);
    if (status < 0) return status;
    if (bytes != sizeof flags) return vdi__mat_bad(mat, "a variable has no class", err);
    const uint32_t word = vdi__mat_u32(mat, flags);
    v->class_number = (int)(word & 255);
    v->logical = (word & 0x200) != 0;
    v->complex_ = (word & 0x800) != 0;
    status = vdi__mat_part(mat, r, VDI__MAT_INT32, VDI__MAT_UINT32, dims, sizeof dims, &bytes, err);
    if (status < 0) return status;
    v->ndim = (int)(bytes / 4);
    if (bytes % 4 || v->ndim < 1) return vdi__mat_bad(mat, "a variable has no shape", err);
    for (int i = 0; i < v->ndim; i++) {
        const uint32_t extent = vdi__mat_u32(mat, dims + 4 * i);
        if (extent > (uint32_t)INT32_MAX) return vdi__mat_bad(mat, "an extent is negative", err);
        if (i < VDI_MAX_DIMS) v->shape[i] = extent;
    }
    status =
        vdi__mat_part(mat, r, VDI__MAT_INT8, VDI__MAT_UTF8, v->name, VDI__MAT_NAME, &bytes, err);
    if (status < 0) return status;
    v->name[bytes] = 0;
    if (strlen(v->name) != bytes) return vdi__mat_bad(mat, "a name holds a NUL", err);
    return VDI_OK;
}

/* ---- a variable, packed or not, as a stream of its own ---- */

typedef struct vdi__mat_stream {
    vdi_reader reader; /* stands behind the tag of the matrix */
    vdi__zlib *packed; /* NULL: it is not */
    int64_t bytes;     /* that the matrix claims to have */
} vdi__mat_stream;

VDI__FN void vdi__mat_leave(vdi_mat *mat, vdi__mat_stream *s) {
    vdi_free(&mat->arena.allocator, s->packed, sizeof *s->packed);
    s->packed = NULL;
}

/* Pair with vdi__mat_leave, also after a failure. */
VDI__FN vdi_status vdi__mat_enter(vdi_mat *mat, const vdi__mat_variable *v, vdi__mat_stream *s,
                                  vdi_error *err) {
    vdi__mat_tag tag;
    memset(s, 0, sizeof *s);
    if (!vdi__reader_seek(&mat->reader, v->at))
        return vdi__io_error(err, VDI_ERR_IO, "vdi_mat_open", mat->reader.name, "cannot seek");
    s->bytes = v->size;
    if (!v->packed) {
        s->reader = mat->reader;
        s->reader.size = v->at + v->size;
        return VDI_OK;
    }
    s->packed = (vdi__zlib *)vdi_alloc(&mat->arena.allocator, sizeof *s->packed);
    if (!s->packed) {
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_mat_open", mat->reader.name,
                             "no memory to unpack");
    }
    vdi__zlib_begin(s->packed, &mat->reader, v->size);
    s->reader.read_fn = vdi__zlib_read;
    s->reader.user = s->packed;
    s->reader.name = mat->reader.name;
    vdi_status status = vdi__mat_tag_read(mat, &s->reader, &tag, err);
    if (status >= 0 && (tag.type != VDI__MAT_MATRIX || tag.small))
        status = vdi__mat_bad(mat, "a packed element is no variable", err);
    s->bytes = tag.bytes;
    return status;
}

/* What went wrong with the packed data is a better reason than what it looked like to its reader.
 * */
VDI__FN vdi_status vdi__mat_blame(const vdi_mat *mat, const vdi__mat_stream *s, vdi_status status,
                                  vdi_error *err) {
    if (!s->packed || !s->packed->stream.why) return status;
    return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_mat_open", mat->reader.name,
                         "a damaged variable: %s", s->packed->stream.why);
}

/* ---- the list ---- */

/* One element of the file: *v is a variable in the arena, or NULL if it is something else. */
VDI__FN vdi_status vdi__mat_next(vdi_mat *mat, int64_t *at, vdi__mat_variable **v, vdi_error *err) {
    vdi__mat_tag tag;
    vdi__mat_stream s;
    *v = NULL;
    if (!vdi__reader_seek(&mat->reader, *at))
        return vdi__io_error(err, VDI_ERR_IO, "vdi_mat_open", mat->reader.name, "cannot seek");
    vdi_status status = vdi__mat_tag_read(mat, &mat->reader, &tag, err);
    if (status < 0) return status;
    *at += 8;
    if (tag.small) return VDI_OK;
    if ((int64_t)tag.bytes > mat->reader.size - *at)
        return vdi__mat_bad(mat, "an element is longer than the file", err);
    const int64_t begin = *at;
    *at += tag.bytes;
    if (tag.type != VDI__MAT_MATRIX && tag.type != VDI__MAT_COMPRESSED) return VDI_OK;
    *v = (vdi__mat_variable *)vdi_arena_calloc(&mat->arena, sizeof **v);
    if (!*v) {
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_mat_open", mat->reader.name,
                             "no memory for the list of variables");
    }
    (*v)->at = begin;
    (*v)->size = tag.bytes;
    (*v)->packed = tag.type == VDI__MAT_COMPRESSED;
    status = vdi__mat_enter(mat, *v, &s, err);
    if (status >= 0) status = vdi__mat_head(mat, &s.reader, *v, err);
    if (status < 0) status = vdi__mat_blame(mat, &s, status, err);
    vdi__mat_leave(mat, &s);
    return status;
}

VDI__FN vdi_status vdi__mat_list(vdi_mat *mat, vdi_error *err) {
    vdi__mat_variable *first = NULL, **last = &first;
    int64_t count = 0;
    for (int64_t at = VDI__MAT_HEADER; at < mat->reader.size;) {
        vdi__mat_variable *v;
        const vdi_status status = vdi__mat_next(mat, &at, &v, err);
        if (status < 0) return status;
        if (!v || !v->name[0]) continue; /* MATLAB keeps data of its own under no name */
        *last = v;
        last = &v->next;
        count++;
    }
    const size_t n = (size_t)count;
    mat->name = (const char **)vdi_arena_alloc(&mat->arena, vdi_mul_size(n, sizeof *mat->name));
    mat->variable =
        (vdi__mat_variable **)vdi_arena_alloc(&mat->arena, vdi_mul_size(n, sizeof *mat->variable));
    if (!mat->name || !mat->variable) {
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_mat_open", mat->reader.name,
                             "no memory for the list of variables");
    }
    for (vdi__mat_variable *v = first; v; v = v->next) {
        mat->variable[mat->count] = v;
        mat->name[mat->count++] = v->name;
    }
    return VDI_OK;
}

/* The 128 bytes before the first element: a text, the version, and "IM" or "MI" for the order. */
VDI__FN vdi_status vdi__mat_header(vdi_mat *mat, vdi_error *err) {
    uint8_t h[VDI__MAT_HEADER];
    const vdi_status status = vdi__read_exact(&mat->reader, h, sizeof h, "the header", err);
    if (status < 0) return status;
    const bool little = memcmp(h + 126, "IM", 2) == 0;
    mat->big = memcmp(h + 126, "MI", 2) == 0;
    if (!little && !mat->big)
        return vdi__mat_bad(mat, "it is none of versions 5 to 7 (save it with -v7)", err);
    const int version = h[mat->big ? 124 : 125];
    if (version == 2) return vdi__hdf5_refuse(mat->reader.name, ".T", err);
    if (version != 1) return vdi__mat_bad(mat, "its version is unknown", err);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_mat_open(vdi_mat *mat, vdi_reader r, const vdi_allocator *a,
                                 vdi_error *err) {
    vdi_status status = VDI_OK;
    memset(mat, 0, sizeof *mat);
    mat->reader = r;
    vdi_arena_init(&mat->arena, a, 4096);
    if (r.read_fn && (!r.seek_fn || r.size <= 0)) {
        size_t size = 0;
        status =
            vdi__read_all(&mat->reader, a, SIZE_MAX / 2, &mat->whole, &size, &mat->whole_size, err);
        if (status >= 0) mat->reader = vdi_reader_memory(mat->whole, size, r.name);
    }
    if (status >= 0) status = vdi__mat_header(mat, err);
    if (status >= 0) status = vdi__mat_list(mat, err);
    if (status < 0) vdi_mat_close(mat);
    return status;
}

VDI__DEF void vdi_mat_close(vdi_mat *mat) {
    vdi_free(&mat->arena.allocator, mat->whole, mat->whole_size);
    vdi_arena_free(&mat->arena);
#ifndef VDI_NO_STDIO
    vdi_reader_close(&mat->file);
#endif
    mat->whole = NULL;
    mat->name = NULL;
    mat->variable = NULL;
    mat->count = 0;
}

/* ---- one variable ---- */

/* The real part as it is stored, which may be in a narrower type than the variable's. */
VDI__FN vdi_status vdi__mat_numbers(vdi_mat *mat, const vdi__mat_variable *v, vdi__mat_stream *s,
                                    const vdi_allocator *a, vdi_tensor *out, vdi_error *err) {
    vdi__mat_variable again; /* its head, which stands before the numbers */
    vdi__mat_tag tag;
    const vdi__stored *type = NULL;
    vdi_status status = vdi__mat_head(mat, &s->reader, &again, err);
    if (status >= 0) status = vdi__mat_tag_read(mat, &s->reader, &tag, err);
    if (status < 0) return status;
    for (size_t i = 0; i < VDI__COUNT(vdi__stored_types); i++) {
        if (vdi__stored_types[i].matlab == (int)tag.type) type = &vdi__stored_types[i];
    }
    const int64_t n = vdi__shape_count(v->ndim, v->shape);
    if (!type || tag.type == 0 || n < 0 || (int64_t)tag.bytes != n * type->size) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_mat_get", mat->reader.name,
                             "%s: its shape and its %u bytes of data contradict each other",
                             v->name, tag.bytes);
    }
    if (tag.small) {
        vdi_reader r = vdi_reader_memory(tag.data, tag.bytes, mat->reader.name);
        return vdi__read_array(&r, a, type, mat->big, true, v->ndim, v->shape, out, err);
    }
    return vdi__read_array(&s->reader, a, type, mat->big, true, v->ndim, v->shape, out, err);
}

/* A packed variable has to end where it should, for only then is its checksum looked at. */
VDI__FN vdi_status vdi__mat_end(const vdi_mat *mat, vdi__mat_stream *s, vdi_error *err) {
    uint8_t fill[16];
    if (!s->packed) return VDI_OK;
    const int64_t got = vdi_read(&s->reader, fill, sizeof fill);
    if (got >= 8 && !s->packed->stream.why)
        (void)vdi__inflate_fail(&s->packed->stream, "it holds more than its numbers");
    return vdi__mat_blame(mat, s, VDI_OK, err);
}

VDI__FN vdi_status vdi__mat_cast(const vdi_allocator *a, vdi_dtype dtype, vdi_tensor *t,
                                 vdi_error *err) {
    vdi_tensor cast;
    if (t->dtype == dtype) return VDI_OK;
    vdi_status status = vdi_tensor_alloc(a, dtype, t->ndim, t->shape, &cast, err);
    if (status >= 0) status = vdi_tensor_copy(cast, *t, err);
    vdi_tensor_free(a, t);
    *t = cast;
    return status;
}

/* Can it become a tensor at all? */
VDI__FN vdi_status vdi__mat_readable(const vdi_mat *mat, const vdi__mat_variable *v,
                                     vdi_error *err) {
    const bool known = (size_t)v->class_number < VDI__COUNT(vdi__mat_classes);
    const char *why = vdi__mat_classes[known ? v->class_number : 0].why;
    if (!why && v->complex_) why = "complex: save real(x) and imag(x)";
    if (!why && v->ndim > VDI_MAX_DIMS) why = "of more axes than a tensor has (6)";
    if (!why) return VDI_OK;
    return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_mat_get", mat->reader.name, "%s is %s",
                         v->name, why);
}

VDI__DEF vdi_status vdi_mat_get(vdi_mat *mat, const char *name, const vdi_allocator *a,
                                vdi_tensor *out, vdi_error *err) {
    vdi__mat_stream s;
    int64_t i;
    *out = vdi__tensor_null();
    vdi_status status =
        vdi__name_find(mat->name, mat->count, name, "vdi_mat_get", mat->reader.name, &i, err);
    if (status < 0) return status;
    const vdi__mat_variable *v = mat->variable[i];
    status = vdi__mat_readable(mat, v, err);
    if (status < 0) return status;
    status = vdi__mat_enter(mat, v, &s, err);
    if (status >= 0) status = vdi__mat_numbers(mat, v, &s, a, out, err);
    if (status >= 0) status = vdi__mat_end(mat, &s, err);
    if (status < 0) status = vdi__mat_blame(mat, &s, status, err);
    vdi__mat_leave(mat, &s);
    const bool logical = v->logical && v->class_number == VDI__MAT_UINT8_CLASS;
    const vdi_dtype dtype = logical ? VDI_BOOL : vdi__mat_classes[v->class_number].dtype;
    if (status >= 0) status = vdi__mat_cast(a, dtype, out, err);
    if (status < 0) vdi_tensor_free(a, out);
    return status;
}

/* A row of io/array.h. */
VDI__FN bool vdi__mat_begins(const uint8_t *head, size_t size) {
    return size >= VDI__MAT_HEADER && memcmp(head, "MATLAB ", 7) == 0;
}

VDI__FN vdi_status vdi__mat_array(vdi_reader *r, const char *name, const vdi_allocator *a,
                                  vdi_tensor *out, vdi_error *err) {
    vdi_mat mat;
    vdi_status status = vdi_mat_open(&mat, *r, a, err);
    if (status < 0) return status;
    status = vdi_mat_get(&mat, name, a, out, err);
    vdi_mat_close(&mat);
    return status;
}

#ifndef VDI_NO_STDIO
VDI__DEF vdi_status vdi_mat_open_file(vdi_mat *mat, const char *path, const vdi_allocator *a,
                                      vdi_error *err) {
    vdi_reader file;
    memset(mat, 0, sizeof *mat);
    vdi_status status = vdi_reader_open(&file, path, err);
    if (status < 0) return status;
    status = vdi_mat_open(mat, file, a, err);
    if (status < 0)
        vdi_reader_close(&file);
    else
        mat->file = file;
    return status;
}
#endif
#endif
