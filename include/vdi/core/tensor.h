/* core/tensor.h - n-dimensional views of memory: dtype, shape, strides, NumPy's broadcast rules
 *
 * Do this:
 *     double x[6] = {1, 2, 3, 4, 5, 6};
 *     int64_t shape[2] = {2, 3};
 *     vdi_tensor t = vdi_tensor_view(x, VDI_F64, 2, shape);          (2,3), row-major
 *     vdi_tensor column = vdi_tensor_slice(t, 1, 0, 1, 1);           (2,1), no copy
 *
 * A vdi_tensor is a small struct passed by value: a pointer and how to walk it. It owns nothing.
 * Memory comes from vdi_tensor_alloc (paired with vdi_tensor_free), from an arena, or from the
 * caller. Strides count elements, may be zero (broadcast) or negative. A view of an impossible
 * request is the null tensor (data NULL, ndim -1): test it with vdi_tensor_ok.
 */
#ifndef VDI_CORE_TENSOR_H
#define VDI_CORE_TENSOR_H
#include "alloc.h"
#include "config.h"
#include "status.h"

/** Element types. Arithmetic is on F32 and F64; the integers are for counts, lengths and
 * indices. */
typedef enum vdi_dtype {
    VDI_F32 = 0,
    VDI_F64 = 1,
    VDI_U8 = 2,
    VDI_I16 = 3,
    VDI_I32 = 4,
    VDI_I64 = 5,
    VDI_BOOL = 6
} vdi_dtype;
/** How many there are. */
#define VDI_DTYPE_COUNT 7

/** Most dimensions of a tensor. */
#define VDI_MAX_DIMS 6

/** A view of n-dimensional data. `shape` and `stride` are meaningful up to `ndim`; strides count
 * elements. */
typedef struct vdi_tensor {
    void *data;                   /**< element (0,...,0), not owned */
    vdi_dtype dtype;              /**< type of every element */
    int32_t ndim;                 /**< 0 is a scalar, -1 the null tensor */
    int64_t shape[VDI_MAX_DIMS];  /**< extent of each axis */
    int64_t stride[VDI_MAX_DIMS]; /**< elements from one index to the next; 0 repeats, negative runs
                                       backwards */
} vdi_tensor;

/** Bytes of one element. */
VDI_API size_t vdi_dtype_size(vdi_dtype dtype);
/** "float32", "float64", "uint8", "int16", "int32", "int64", "bool". */
VDI_API const char *vdi_dtype_name(vdi_dtype dtype);
VDI__INLINE bool vdi_dtype_is_real(vdi_dtype dtype) { return dtype == VDI_F32 || dtype == VDI_F64; }

/** Row-major view of `data` (may be NULL for a shape alone). */
VDI_API vdi_tensor vdi_tensor_view(void *data, vdi_dtype dtype, int ndim, const int64_t *shape);
/** Shorthands for the common shapes. */
VDI_API vdi_tensor vdi_tensor_1d(void *data, vdi_dtype dtype, int64_t n0);
VDI_API vdi_tensor vdi_tensor_2d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1);
VDI_API vdi_tensor vdi_tensor_3d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1, int64_t n2);
VDI_API vdi_tensor vdi_tensor_4d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1, int64_t n2,
                                 int64_t n3);
VDI__INLINE bool vdi_tensor_ok(vdi_tensor t) { return t.ndim >= 0; }
/** Number of elements (1 for a scalar, 0 for the null tensor). */
VDI_API int64_t vdi_tensor_count(vdi_tensor t);
/** Bytes of its elements, packed. */
VDI_API size_t vdi_tensor_bytes(vdi_tensor t);
/** Is it row-major without gaps? */
VDI_API bool vdi_tensor_is_contiguous(vdi_tensor t);
VDI_API bool vdi_tensor_same_shape(vdi_tensor a, vdi_tensor b);
/** Write "(64,3)" into buf of at least VDI_SHAPE_TEXT bytes; returns buf. */
#define VDI_SHAPE_TEXT 136
VDI_API const char *vdi_tensor_shape_text(vdi_tensor t, char *buf);

/** Own memory: row-major, cleared. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_alloc(const vdi_allocator *a, vdi_dtype dtype, int ndim,
                                                  const int64_t *shape, vdi_tensor *out,
                                                  vdi_error *err);
/** Give back what vdi_tensor_alloc gave (same shape and dtype), and make it the null tensor. */
VDI_API void vdi_tensor_free(const vdi_allocator *a, vdi_tensor *t);
/** Row-major, cleared, in an arena; the null tensor when memory is out. */
VDI_API vdi_tensor vdi_arena_tensor(vdi_arena *arena, vdi_dtype dtype, int ndim,
                                    const int64_t *shape);

/** Elements start, start+step, ... of one axis, `count` of them; the null tensor if out of
 * range. */
VDI_API vdi_tensor vdi_tensor_slice(vdi_tensor t, int axis, int64_t start, int64_t step,
                                    int64_t count);
/** One index of an axis; the axis disappears. */
VDI_API vdi_tensor vdi_tensor_index(vdi_tensor t, int axis, int64_t i);
/** Axes in another order; `order` is a permutation of 0..ndim-1. */
VDI_API vdi_tensor vdi_tensor_permute(vdi_tensor t, const int *order);
/** The last two axes exchanged. */
VDI_API vdi_tensor vdi_tensor_transpose(vdi_tensor t);
/** Another shape of a contiguous tensor with as many elements (one extent may be -1); the null
 * tensor if it can't be. */
VDI_API vdi_tensor vdi_tensor_reshape(vdi_tensor t, int ndim, const int64_t *shape);
/** Repeat along axes of extent 1 and new leading axes, without copying; the null tensor if the
 * shapes do not fit. */
VDI_API vdi_tensor vdi_tensor_broadcast_to(vdi_tensor t, int ndim, const int64_t *shape);
/** The common shape of a and b under NumPy's rules; returns its ndim, or -1 if they do not fit. */
VDI_API int vdi_broadcast_shape(vdi_tensor a, vdi_tensor b, int64_t shape[VDI_MAX_DIMS]);

/** Copy with cast, any strides, broadcasting src; dst has to be writable without overlap of its own
 * elements.
 *  Real to integer rounds to nearest, ties to even, and saturates; NaN becomes 0. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_copy(vdi_tensor dst, vdi_tensor src, vdi_error *err);
/** Every element = value. */
VDI_API void vdi_tensor_fill(vdi_tensor t, double value);
/** One element as double, by indices of ndim entries; NaN if there is no such element. */
VDI_API double vdi_tensor_get(vdi_tensor t, const int64_t *index);
/** Set one element; does nothing if there is no such element. */
VDI_API void vdi_tensor_set(vdi_tensor t, const int64_t *index, double value);
/** Element i of packed memory as double. */
VDI_API double vdi_dtype_load(vdi_dtype dtype, const void *p, int64_t i);
VDI_API void vdi_dtype_store(vdi_dtype dtype, void *p, int64_t i, double value);
/** Count of NaN and infinite elements. */
VDI_API int64_t vdi_tensor_count_nonfinite(vdi_tensor t);

/* ---- private: what the bodies of other modules use, too ------------------------------------- */

VDI__INLINE vdi_tensor vdi__tensor_null(void) {
    vdi_tensor t = VDI__ZERO;
    t.ndim = -1;
    return t;
}

/* vdi_dtype_load and _store where the type is known to be real, in loops that run often: the only
 * ways into such memory. `dtype` is a number so that nodes, which keep it in a byte, pass
 * theirs. */
VDI__INLINE size_t vdi__real_size(unsigned dtype) {
    return dtype == VDI_F64 ? sizeof(double) : sizeof(float);
}
VDI__INLINE void *vdi__element(unsigned dtype, const void *p, size_t i) {
    return (char *)(uintptr_t)p + i * vdi__real_size(dtype);
}
VDI__INLINE double vdi__load(unsigned dtype, const void *p, size_t i) {
    return dtype == VDI_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
VDI__INLINE void vdi__store(unsigned dtype, void *p, size_t i, double x) {
    if (dtype == VDI_F64)
        ((double *)p)[i] = x;
    else
        ((float *)p)[i] = (float)x;
}

/* isfinite of mingw's math.h warns of a conversion to float; and a comparison would raise INVALID
 * on NaN. */
VDI__INLINE bool vdi__is_finite(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits >> 52 & 0x7ff) != 0x7ff;
}

VDI__INLINE void *vdi__tensor_at(vdi_tensor t, int64_t offset) {
    return t.data ? (char *)t.data + offset * (int64_t)vdi_dtype_size(t.dtype) : NULL;
}

/* Walks any strided tensor by rows of its last axis. */
typedef struct vdi__rows {
    int64_t index[VDI_MAX_DIMS];
    int64_t left; /* rows still to come */
} vdi__rows;

VDI__INLINE vdi__rows vdi__rows_begin(vdi_tensor t) {
    vdi__rows r = VDI__ZERO;
    r.left = vdi_tensor_ok(t) ? 1 : 0;
    for (int i = 0; i + 1 < t.ndim; i++)
        r.left *= t.shape[i];
    return r;
}

VDI__INLINE int64_t vdi__rows_offset(const vdi__rows *r, vdi_tensor t) {
    int64_t offset = 0;
    for (int i = 0; i + 1 < t.ndim; i++)
        offset += r->index[i] * t.stride[i];
    return offset;
}

VDI__INLINE void vdi__rows_next(vdi__rows *r, vdi_tensor t) {
    r->left--;
    for (int i = t.ndim - 2; i >= 0; i--) {
        if (++r->index[i] < t.shape[i]) return;
        r->index[i] = 0;
    }
}

#if VDI__PART
VDI__LINK int64_t vdi__shape_count(int ndim, const int64_t *shape);
#endif

#endif /* VDI_CORE_TENSOR_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_TENSOR_C)
#define VDI_CORE_TENSOR_C

VDI__DEF size_t vdi_dtype_size(vdi_dtype dtype) {
    static const uint8_t size[VDI_DTYPE_COUNT] = {4, 8, 1, 2, 4, 8, 1};
    return (unsigned)dtype < VDI_DTYPE_COUNT ? size[dtype] : 0;
}

VDI__DEF const char *vdi_dtype_name(vdi_dtype dtype) {
    static const char *const name[VDI_DTYPE_COUNT] = {"float32", "float64", "uint8", "int16",
                                                      "int32",   "int64",   "bool"};
    return (unsigned)dtype < VDI_DTYPE_COUNT ? name[dtype] : "?";
}

/* Elements of a shape, or -1 if an extent is negative or that many 8-byte elements are more than
 * one object can hold: then their bytes, rounded up, cannot overflow either. */
VDI__LINK int64_t vdi__shape_count(int ndim, const int64_t *shape) {
    int64_t n = 1;
    bool empty = false;
    if (ndim < 0 || ndim > VDI_MAX_DIMS) return -1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0) return -1;
        if (shape[i] == 0)
            empty = true;
        else if (n > INT64_MAX / 16 / shape[i])
            return -1;
        else
            n *= shape[i];
    }
    if (empty) return 0;
    return (uint64_t)n > SIZE_MAX / 16 ? -1 : n;
}

VDI__DEF vdi_tensor vdi_tensor_view(void *data, vdi_dtype dtype, int ndim, const int64_t *shape) {
    vdi_tensor t = VDI__ZERO;
    if (vdi_dtype_size(dtype) == 0) return vdi__tensor_null();
    if (vdi__shape_count(ndim, shape) < 0) return vdi__tensor_null();
    t.data = data;
    t.dtype = dtype;
    t.ndim = ndim;
    int64_t step = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        t.shape[i] = shape[i];
        t.stride[i] = step;
        step *= VDI__MAX(shape[i], 1);
    }
    return t;
}

VDI__DEF vdi_tensor vdi_tensor_1d(void *data, vdi_dtype dtype, int64_t n0) {
    return vdi_tensor_view(data, dtype, 1, &n0);
}
VDI__DEF vdi_tensor vdi_tensor_2d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1) {
    int64_t shape[2];
    shape[0] = n0;
    shape[1] = n1;
    return vdi_tensor_view(data, dtype, 2, shape);
}
VDI__DEF vdi_tensor vdi_tensor_3d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1, int64_t n2) {
    int64_t shape[3];
    shape[0] = n0;
    shape[1] = n1;
    shape[2] = n2;
    return vdi_tensor_view(data, dtype, 3, shape);
}
VDI__DEF vdi_tensor vdi_tensor_4d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1, int64_t n2,
                                  int64_t n3) {
    int64_t shape[4];
    shape[0] = n0;
    shape[1] = n1;
    shape[2] = n2;
    shape[3] = n3;
    return vdi_tensor_view(data, dtype, 4, shape);
}

VDI__DEF int64_t vdi_tensor_count(vdi_tensor t) {
    int64_t n = 1;
    if (t.ndim < 0) return 0;
    for (int i = 0; i < t.ndim; i++)
        n *= t.shape[i];
    return n;
}

VDI__DEF size_t vdi_tensor_bytes(vdi_tensor t) {
    return (size_t)vdi_tensor_count(t) * vdi_dtype_size(t.dtype);
}

VDI__DEF bool vdi_tensor_is_contiguous(vdi_tensor t) {
    int64_t step = 1;
    for (int i = t.ndim - 1; i >= 0; i--) {
        if (t.shape[i] == 0) return true;
        if (t.shape[i] != 1 && t.stride[i] != step) return false;
        step *= t.shape[i];
    }
    return t.ndim >= 0;
}

VDI__DEF bool vdi_tensor_same_shape(vdi_tensor a, vdi_tensor b) {
    if (a.ndim != b.ndim) return false;
    for (int i = 0; i < a.ndim; i++)
        if (a.shape[i] != b.shape[i]) return false;
    return true;
}

VDI__DEF const char *vdi_tensor_shape_text(vdi_tensor t, char *buf) {
    size_t n = vdi_text_copy(buf, VDI_SHAPE_TEXT, t.ndim < 0 ? "(null" : "(");
    for (int i = 0; i < t.ndim; i++) {
        n += vdi_text_format(buf + n, VDI_SHAPE_TEXT - n,
                             i + 1 < t.ndim || t.ndim == 1 ? "%lld," : "%lld",
                             (long long)t.shape[i]);
    }
    (void)vdi_text_copy(buf + n, VDI_SHAPE_TEXT - n, ")");
    return buf;
}

VDI__DEF vdi_status vdi_tensor_alloc(const vdi_allocator *a, vdi_dtype dtype, int ndim,
                                     const int64_t *shape, vdi_tensor *out, vdi_error *err) {
    vdi_tensor t = vdi_tensor_view(NULL, dtype, ndim, shape);
    *out = vdi__tensor_null();
    if (vdi_dtype_size(dtype) == 0) {
        return vdi_error_set(err, VDI_ERR_DTYPE, "vdi_tensor_alloc", "there is no dtype %d",
                             (int)dtype);
    }
    if (!vdi_tensor_ok(t)) {
        return vdi_error_set(err, VDI_ERR_SHAPE, "vdi_tensor_alloc",
                             "%d dimensions, or an extent, is out of range", ndim);
    }
    size_t bytes = vdi_tensor_bytes(t);
    t.data = vdi_alloc(a, bytes);
    if (!t.data) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_tensor_alloc", "no memory for %zu bytes",
                             bytes);
    }
    memset(t.data, 0, bytes);
    *out = t;
    return VDI_OK;
}

VDI__DEF void vdi_tensor_free(const vdi_allocator *a, vdi_tensor *t) {
    if (t->ndim >= 0) vdi_free(a, t->data, vdi_tensor_bytes(*t));
    *t = vdi__tensor_null();
}

VDI__DEF vdi_tensor vdi_arena_tensor(vdi_arena *arena, vdi_dtype dtype, int ndim,
                                     const int64_t *shape) {
    vdi_tensor t = vdi_tensor_view(NULL, dtype, ndim, shape);
    if (!vdi_tensor_ok(t)) return t;
    t.data = vdi_arena_calloc(arena, vdi_tensor_bytes(t));
    return t.data ? t : vdi__tensor_null();
}

VDI__DEF vdi_tensor vdi_tensor_slice(vdi_tensor t, int axis, int64_t start, int64_t step,
                                     int64_t count) {
    if (axis < 0 || axis >= t.ndim || count < 0) return vdi__tensor_null();
    if (count > 0) {
        int64_t extent = t.shape[axis];
        if (start < 0 || start >= extent || step < -extent || step > extent)
            return vdi__tensor_null();
        if (step > 0 && count - 1 > (extent - 1 - start) / step) return vdi__tensor_null();
        if (step < 0 && count - 1 > start / -step) return vdi__tensor_null();
        t.data = vdi__tensor_at(t, start * t.stride[axis]);
    }
    t.shape[axis] = count;
    if (count > 1) t.stride[axis] *= step;
    /* a step of 0 repeats, but not beyond all counts */
    return vdi__shape_count(t.ndim, t.shape) < 0 ? vdi__tensor_null() : t;
}

VDI__DEF vdi_tensor vdi_tensor_index(vdi_tensor t, int axis, int64_t i) {
    t = vdi_tensor_slice(t, axis, i, 1, 1);
    if (!vdi_tensor_ok(t)) return t;
    for (int k = axis; k + 1 < t.ndim; k++) {
        t.shape[k] = t.shape[k + 1];
        t.stride[k] = t.stride[k + 1];
    }
    t.ndim--;
    return t;
}

VDI__DEF vdi_tensor vdi_tensor_permute(vdi_tensor t, const int *order) {
    vdi_tensor r = t;
    unsigned seen = 0;
    for (int i = 0; i < t.ndim; i++) {
        if (order[i] < 0 || order[i] >= t.ndim || (seen >> order[i] & 1u))
            return vdi__tensor_null();
        seen |= 1u << order[i];
        r.shape[i] = t.shape[order[i]];
        r.stride[i] = t.stride[order[i]];
    }
    return r;
}

VDI__DEF vdi_tensor vdi_tensor_transpose(vdi_tensor t) {
    int order[VDI_MAX_DIMS] = {0, 1, 2, 3, 4, 5};
    if (t.ndim < 2) return t;
    order[t.ndim - 2] = t.ndim - 1;
    order[t.ndim - 1] = t.ndim - 2;
    return vdi_tensor_permute(t, order);
}

VDI__DEF vdi_tensor vdi_tensor_reshape(vdi_tensor t, int ndim, const int64_t *shape) {
    int64_t s[VDI_MAX_DIMS], known = 1, count = vdi_tensor_count(t);
    int open = -1;
    if (!vdi_tensor_is_contiguous(t) || ndim < 0 || ndim > VDI_MAX_DIMS) return vdi__tensor_null();
    for (int i = 0; i < ndim; i++) {
        s[i] = shape[i];
        if (s[i] == -1 && open < 0)
            open = i;
        else if (s[i] < 0 || (s[i] > 0 && known > INT64_MAX / s[i]))
            return vdi__tensor_null();
        else
            known *= s[i];
    }
    if (open >= 0) {
        if (known == 0 || count % known) return vdi__tensor_null();
        s[open] = count / known;
    } else if (known != count) {
        return vdi__tensor_null();
    }
    return vdi_tensor_view(t.data, t.dtype, ndim, s);
}

VDI__DEF vdi_tensor vdi_tensor_broadcast_to(vdi_tensor t, int ndim, const int64_t *shape) {
    vdi_tensor r = vdi_tensor_view(t.data, t.dtype, ndim, shape);
    int lead = ndim - t.ndim;
    if (!vdi_tensor_ok(r) || !vdi_tensor_ok(t) || lead < 0) return vdi__tensor_null();
    for (int i = 0; i < ndim; i++) {
        if (i < lead || (t.shape[i - lead] == 1 && shape[i] != 1))
            r.stride[i] = 0;
        else if (t.shape[i - lead] == shape[i])
            r.stride[i] = t.stride[i - lead];
        else
            return vdi__tensor_null();
    }
    return r;
}

VDI__DEF int vdi_broadcast_shape(vdi_tensor a, vdi_tensor b, int64_t shape[VDI_MAX_DIMS]) {
    int n = VDI__MAX(a.ndim, b.ndim);
    if (a.ndim < 0 || b.ndim < 0) return -1;
    for (int i = 0; i < n; i++) {
        int64_t x = i < n - a.ndim ? 1 : a.shape[i - (n - a.ndim)];
        int64_t y = i < n - b.ndim ? 1 : b.shape[i - (n - b.ndim)];
        if (x != y && x != 1 && y != 1) return -1;
        shape[i] = x == 1 ? y : x;
    }
    return n;
}

VDI__DEF double vdi_dtype_load(vdi_dtype dtype, const void *p, int64_t i) {
    switch (dtype) {
    case VDI_F32: return ((const float *)p)[i];
    case VDI_F64: return ((const double *)p)[i];
    case VDI_U8: return ((const uint8_t *)p)[i];
    case VDI_I16: return ((const int16_t *)p)[i];
    case VDI_I32: return ((const int32_t *)p)[i];
    case VDI_I64: return (double)((const int64_t *)p)[i];
    case VDI_BOOL: return ((const uint8_t *)p)[i] != 0;
    }
    return 0;
}

VDI__FN double vdi__round_clamp(double x, double lo, double hi) {
    return !(x == x) ? 0 : x <= lo ? lo : x >= hi ? hi : nearbyint(x);
}

VDI__DEF void vdi_dtype_store(vdi_dtype dtype, void *p, int64_t i, double value) {
    switch (dtype) {
    case VDI_F32: ((float *)p)[i] = (float)value; break;
    case VDI_F64: ((double *)p)[i] = value; break;
    case VDI_U8: ((uint8_t *)p)[i] = (uint8_t)vdi__round_clamp(value, 0, 255); break;
    case VDI_I16: ((int16_t *)p)[i] = (int16_t)vdi__round_clamp(value, -32768, 32767); break;
    case VDI_I32:
        ((int32_t *)p)[i] = (int32_t)vdi__round_clamp(value, -2147483648.0, 2147483647.0);
        break;
    case VDI_I64:
        /* 2^63 is the first double that does not fit */
        ((int64_t *)p)[i] = value >= 9223372036854775808.0 ? INT64_MAX
                            : value <= -9223372036854775808.0
                                ? INT64_MIN
                                : (int64_t)vdi__round_clamp(value, -9.3e18, 9.3e18);
        break;
    case VDI_BOOL: ((uint8_t *)p)[i] = value != 0; break;
    }
}

/* Fixed sizes are a load and a store. */
VDI__FN void vdi__element_copy(size_t size, char *to, const char *from) {
    switch (size) {
    case 8: memcpy(to, from, 8); break;
    case 4: memcpy(to, from, 4); break;
    case 2: memcpy(to, from, 2); break;
    default: *to = *from; break;
    }
}

VDI__DEF vdi_status vdi_tensor_copy(vdi_tensor dst, vdi_tensor src, vdi_error *err) {
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    vdi_tensor from = vdi_tensor_broadcast_to(src, VDI__MAX(dst.ndim, 0), dst.shape);
    if (!vdi_tensor_ok(dst) || !vdi_tensor_ok(from)) {
        return vdi_error_set(err, VDI_ERR_SHAPE, "vdi_tensor_copy",
                             "dst is %s, src is %s: src does not broadcast to dst",
                             vdi_tensor_shape_text(dst, a), vdi_tensor_shape_text(src, b));
    }
    if (vdi_tensor_count(dst) == 0) return VDI_OK;
    if (!dst.data || !from.data) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_tensor_copy", "%s has no data",
                             dst.data ? "src" : "dst");
    }
    if (dst.dtype == from.dtype && vdi_tensor_is_contiguous(dst) &&
        vdi_tensor_is_contiguous(from)) {
        memmove(dst.data, from.data, vdi_tensor_bytes(dst));
        return VDI_OK;
    }
    int64_t n = dst.ndim ? dst.shape[dst.ndim - 1] : 1;
    int64_t ds = dst.ndim ? dst.stride[dst.ndim - 1] : 1;
    int64_t ss = from.ndim ? from.stride[from.ndim - 1] : 1;
    /* byte by byte: a double does not hold every int64, and a conversion may change which NaN it
     * is */
    const size_t same = dst.dtype == from.dtype ? vdi_dtype_size(dst.dtype) : 0;
    for (vdi__rows r = vdi__rows_begin(dst); r.left > 0; vdi__rows_next(&r, dst)) {
        void *d = vdi__tensor_at(dst, vdi__rows_offset(&r, dst));
        const void *s = vdi__tensor_at(from, vdi__rows_offset(&r, from));
        for (int64_t i = 0; i < n; i++) {
            if (same) {
                vdi__element_copy(same, (char *)d + i * ds * (int64_t)same,
                                  (const char *)s + i * ss * (int64_t)same);
            } else {
                vdi_dtype_store(dst.dtype, d, i * ds, vdi_dtype_load(from.dtype, s, i * ss));
            }
        }
    }
    return VDI_OK;
}

VDI__DEF void vdi_tensor_fill(vdi_tensor t, double value) {
    if (vdi_tensor_count(t) == 0 || !t.data) return;
    int64_t n = t.ndim ? t.shape[t.ndim - 1] : 1, step = t.ndim ? t.stride[t.ndim - 1] : 1;
    for (vdi__rows r = vdi__rows_begin(t); r.left > 0; vdi__rows_next(&r, t)) {
        void *p = vdi__tensor_at(t, vdi__rows_offset(&r, t));
        for (int64_t i = 0; i < n; i++)
            vdi_dtype_store(t.dtype, p, i * step, value);
    }
}

/* Where an element stands, or false if there is none. */
VDI__FN bool vdi__tensor_find(vdi_tensor t, const int64_t *index, int64_t *offset) {
    *offset = 0;
    if (!vdi_tensor_ok(t) || !t.data) return false;
    for (int i = 0; i < t.ndim; i++) {
        if (index[i] < 0 || index[i] >= t.shape[i]) return false;
        *offset += index[i] * t.stride[i];
    }
    return true;
}

VDI__DEF double vdi_tensor_get(vdi_tensor t, const int64_t *index) {
    int64_t at;
    return vdi__tensor_find(t, index, &at) ? vdi_dtype_load(t.dtype, t.data, at) : (double)NAN;
}

VDI__DEF void vdi_tensor_set(vdi_tensor t, const int64_t *index, double value) {
    int64_t at;
    if (vdi__tensor_find(t, index, &at)) vdi_dtype_store(t.dtype, t.data, at, value);
}

VDI__DEF int64_t vdi_tensor_count_nonfinite(vdi_tensor t) {
    int64_t bad = 0;
    if (vdi_tensor_count(t) == 0 || !t.data || !vdi_dtype_is_real(t.dtype)) return 0;
    int64_t n = t.ndim ? t.shape[t.ndim - 1] : 1, step = t.ndim ? t.stride[t.ndim - 1] : 1;
    for (vdi__rows r = vdi__rows_begin(t); r.left > 0; vdi__rows_next(&r, t)) {
        const void *p = vdi__tensor_at(t, vdi__rows_offset(&r, t));
        for (int64_t i = 0; i < n; i++) {
            bad += !vdi__is_finite(vdi_dtype_load(t.dtype, p, i * step));
        }
    }
    return bad;
}
#endif
