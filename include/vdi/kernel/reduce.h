/* kernel/reduce.h - sums, maxima, softmax, gather: many numbers to few, always in one order
 *
 * Do this:
 *     double s = vdi_sum(VDI_F32, n, x);
 *     vdi_softmax(VDI_F32, rows, cols, x, cols, y, cols);
 *
 * The order of every sum is fixed by its length: element i goes to partial sum i mod 64 (F32) or i
 * mod 32 (F64), and the partial sums are added by halves: j and j + 32, then j and j + 16, and so
 * on. So a sum has the same bits on every path. An inner product is fused, so its bits are the same
 * on the paths that have a fused multiply-add (AVX2, AVX-512, NEON), and the same on those that
 * have not; softmax and logsumexp contain exp, of which the same is true. Sums of F32 are kept in
 * F32.
 */
#ifndef VDI_KERNEL_REDUCE_H
#define VDI_KERNEL_REDUCE_H
#include "cpu.h"

/** Sum of x[0..n); 0 for n = 0. */
VDI_API double vdi_sum(vdi_dtype dtype, size_t n, const void *x);
/** Inner product. */
VDI_API double vdi_dot(vdi_dtype dtype, size_t n, const void *x, const void *y);
/** Largest and smallest element; NaN if any is NaN; -inf and +inf for n = 0. */
VDI_API double vdi_max(vdi_dtype dtype, size_t n, const void *x);
VDI_API double vdi_min(vdi_dtype dtype, size_t n, const void *x);
/** Index of the first largest element that is not NaN; 0 if there is none. */
VDI_API size_t vdi_argmax(vdi_dtype dtype, size_t n, const void *x);
/** How many elements are NaN or infinite. */
VDI_API size_t vdi_count_nonfinite(vdi_dtype dtype, size_t n, const void *x);
/** y (cols) = [y +] the sum over rows of x (rows,cols), each column in rising order of rows: the
 * gradient of a bias. */
VDI_API void vdi_sum_rows(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx,
                          bool accumulate, void *y);
/** y[r] = log sum_c exp x[r,c]; -inf for an empty row or one of -inf. */
VDI_API void vdi_logsumexp(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx,
                           void *y);
/** Row by row exp(x - logsumexp x), and its logarithm. y may be x. */
VDI_API void vdi_softmax(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx,
                         void *y, size_t ldy);
VDI_API void vdi_log_softmax(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx,
                             void *y, size_t ldy);
/** y[i,:] = x[index[i],:]. VDI_ERR_ARGUMENT (nothing written) if an index is outside 0..rows-1. */
VDI_API vdi_status vdi_gather_rows(vdi_dtype dtype, size_t count, const int64_t *index, size_t rows,
                                   size_t cols, const void *x, size_t ldx, void *y, size_t ldy);
/** y[index[i],:] += x[i,:], in rising order of i. */
VDI_API vdi_status vdi_scatter_add_rows(vdi_dtype dtype, size_t count, const int64_t *index,
                                        size_t rows, size_t cols, const void *x, size_t ldx,
                                        void *y, size_t ldy);

/** What vdi_tensor_reduce does along an axis. */
typedef enum vdi_reduce_op {
    VDI_REDUCE_SUM = 0,
    VDI_REDUCE_MEAN,
    VDI_REDUCE_MAX,
    VDI_REDUCE_MIN
} vdi_reduce_op;
/** y = x reduced over one axis (the axis is absent in y, or has extent 1). Over an empty axis: 0,
 * NaN, -inf, +inf. The order of a sum
 *  is that of vdi_sum along a contiguous axis; else rising, or block by block of 256, as the
 *  strides of x decide. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_reduce(vdi_reduce_op op, vdi_tensor x, int axis,
                                                   vdi_tensor y, vdi_error *err);

/* ---- private: the kernels -------------------------------------------------------------------- */

typedef enum vdi__softmax_kind { VDI__LOGSUMEXP, VDI__SOFTMAX, VDI__LOG_SOFTMAX } vdi__softmax_kind;
#define VDI__KERNELS_REDUCE(X)                                                               \
    X(sum, OWN, double, (size_t n, const void *x))                                           \
    X(dot, OWN, double, (size_t n, const void *x, const void *y))                            \
    X(largest, LENT, double, (size_t n, const void *x))                                      \
    X(smallest, LENT, double, (size_t n, const void *x))                                     \
    X(nonfinite, LENT, size_t, (size_t n, const void *x))                                    \
    X(sum_rows, LENT, void,                                                                  \
      (size_t rows, size_t cols, const void *x, size_t ldx, int accumulate, void *y))        \
    X(softmax, OWN, void,                                                                    \
      (vdi__softmax_kind kind, size_t rows, size_t cols, const void *x, size_t ldx, void *y, \
       size_t ldy))

#endif /* VDI_KERNEL_REDUCE_H */

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_REDUCE_C)
#define VDI_KERNEL_REDUCE_C

VDI__DEF double vdi_sum(vdi_dtype dtype, size_t n, const void *x) {
    return vdi__kernels_of(dtype)->sum(n, x);
}
VDI__DEF double vdi_dot(vdi_dtype dtype, size_t n, const void *x, const void *y) {
    return vdi__kernels_of(dtype)->dot(n, x, y);
}
VDI__DEF double vdi_max(vdi_dtype dtype, size_t n, const void *x) {
    return vdi__kernels_of(dtype)->largest(n, x);
}
VDI__DEF double vdi_min(vdi_dtype dtype, size_t n, const void *x) {
    return vdi__kernels_of(dtype)->smallest(n, x);
}
VDI__DEF size_t vdi_count_nonfinite(vdi_dtype dtype, size_t n, const void *x) {
    return vdi__kernels_of(dtype)->nonfinite(n, x);
}

VDI__DEF size_t vdi_argmax(vdi_dtype dtype, size_t n, const void *x) {
    size_t best = 0;
    bool found = false;
    double top = 0;
    for (size_t i = 0; i < n; i++) {
        const double v = dtype == VDI_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
        if (v == v && (!found || v > top)) {
            best = i;
            top = v;
            found = true;
        }
    }
    return best;
}

VDI__DEF void vdi_sum_rows(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx,
                           bool accumulate, void *y) {
    vdi__kernels_of(dtype)->sum_rows(rows, cols, x, ldx, accumulate, y);
}
VDI__DEF void vdi_logsumexp(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx,
                            void *y) {
    vdi__kernels_of(dtype)->softmax(VDI__LOGSUMEXP, rows, cols, x, ldx, y, 1);
}
VDI__DEF void vdi_softmax(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx,
                          void *y, size_t ldy) {
    vdi__kernels_of(dtype)->softmax(VDI__SOFTMAX, rows, cols, x, ldx, y, ldy);
}
VDI__DEF void vdi_log_softmax(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx,
                              void *y, size_t ldy) {
    vdi__kernels_of(dtype)->softmax(VDI__LOG_SOFTMAX, rows, cols, x, ldx, y, ldy);
}

VDI__FN bool vdi__indices_ok(size_t count, const int64_t *index, size_t rows) {
    for (size_t i = 0; i < count; i++)
        if (index[i] < 0 || (uint64_t)index[i] >= rows) return false;
    return true;
}

VDI__DEF vdi_status vdi_gather_rows(vdi_dtype dtype, size_t count, const int64_t *index,
                                    size_t rows, size_t cols, const void *x, size_t ldx, void *y,
                                    size_t ldy) {
    const size_t size = vdi_dtype_size(dtype);
    if (!vdi__indices_ok(count, index, rows)) return VDI_ERR_ARGUMENT;
    for (size_t i = 0; i < count && cols; i++) {
        memcpy((char *)y + i * ldy * size, (const char *)x + (size_t)index[i] * ldx * size,
               cols * size);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_scatter_add_rows(vdi_dtype dtype, size_t count, const int64_t *index,
                                         size_t rows, size_t cols, const void *x, size_t ldx,
                                         void *y, size_t ldy) {
    const size_t size = vdi_dtype_size(dtype);
    if (!vdi__indices_ok(count, index, rows)) return VDI_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++) {
        void *to = (char *)y + (size_t)index[i] * ldy * size;
        vdi_binary(dtype, VDI_ADD, cols, to, 1, (const char *)x + i * ldx * size, 1, to);
    }
    return VDI_OK;
}

/* One reduced value from `n` elements `step` apart. A strided line is reduced strip by strip: its
 * own order, fixed by its length. */
VDI__FN double vdi__line_reduce(vdi_reduce_op op, vdi_dtype dtype, size_t n, const void *x,
                                int64_t start, int64_t step) {
    union {
        float f32[VDI__STRIP];
        double f64[VDI__STRIP];
    } strip;
    double r = 0;
    for (size_t i = 0; i < n || i == 0;) {
        const size_t k = step == 1 ? n : VDI__MIN(n - i, VDI__STRIP);
        const void *from = n ? (const char *)x + start * (int64_t)vdi_dtype_size(dtype) : x;
        if (step != 1) {
            vdi__strip_gather(dtype, k, x, start + (int64_t)i * step, step, &strip);
            from = &strip;
        }
        const double v = op == VDI_REDUCE_MAX   ? vdi_max(dtype, k, from)
                         : op == VDI_REDUCE_MIN ? vdi_min(dtype, k, from)
                                                : vdi_sum(dtype, k, from);
        if (i == 0 || v != v)
            r = v;
        else if (op == VDI_REDUCE_MAX)
            r = r < v ? v : r;
        else if (op == VDI_REDUCE_MIN)
            r = r > v ? v : r;
        else
            r = dtype == VDI_F32 ? (double)((float)r + (float)v) : r + v;
        i += k ? k : 1;
    }
    return op == VDI_REDUCE_MEAN ? r / (double)n : r;
}

VDI__DEF vdi_status vdi_tensor_reduce(vdi_reduce_op op, vdi_tensor x, int axis, vdi_tensor y,
                                      vdi_error *err) {
    static const char where[] = "vdi_tensor_reduce";
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    if ((unsigned)op > VDI_REDUCE_MIN)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%d is not a reduction", (int)op);
    if (!vdi_tensor_ok(x) || axis < 0 || axis >= x.ndim) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "axis is %d, x is %s", axis,
                             vdi_tensor_shape_text(x, a));
    }
    if (x.dtype != y.dtype || !vdi_dtype_is_real(x.dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where,
                             "x is %s, y is %s: both have to be float32 or float64, and alike",
                             vdi_dtype_name(x.dtype), vdi_dtype_name(y.dtype));
    }
    /* `over` walks x as y is laid out, the reduced axis held at 0 */
    const size_t n = (size_t)x.shape[axis];
    const int64_t step = x.stride[axis];
    vdi_tensor kept = x, gone = x;
    kept.shape[axis] = 1;
    kept.stride[axis] = 0;
    for (int i = axis; i + 1 < x.ndim; i++) {
        gone.shape[i] = x.shape[i + 1];
        gone.stride[i] = x.stride[i + 1];
    }
    gone.ndim = x.ndim - 1;
    const bool fits =
        vdi_tensor_ok(y) && (vdi_tensor_same_shape(kept, y) || vdi_tensor_same_shape(gone, y));
    if (!fits) {
        return vdi_error_set(
            err, VDI_ERR_SHAPE, where,
            "x is %s reduced over axis %d, y is %s: y has to be without that axis, or with 1 there",
            vdi_tensor_shape_text(x, a), axis, vdi_tensor_shape_text(y, b));
    }
    const vdi_tensor over = y.ndim == x.ndim ? kept : gone;
    if (vdi_tensor_count(y) == 0) return VDI_OK;
    const int last = y.ndim - 1;
    const int64_t width = y.ndim ? y.shape[last] : 1;
    const int64_t ys = y.ndim ? y.stride[last] : 1;
    const int64_t xs = y.ndim ? over.stride[last] : 1;
    for (vdi__rows r = vdi__rows_begin(y); r.left > 0; vdi__rows_next(&r, y)) {
        const int64_t y0 = vdi__rows_offset(&r, y), x0 = vdi__rows_offset(&r, over);
        if (xs == 1 && ys == 1 && step > 0 && width > 1 && op <= VDI_REDUCE_MEAN) {
            /* a column sum: rows of x lie side by side */
            void *to = vdi__tensor_at(y, y0);
            vdi_sum_rows(x.dtype, n, (size_t)width, vdi__tensor_at(x, x0), (size_t)step, false, to);
            if (op == VDI_REDUCE_MEAN) {
                const double count = (double)n;
                const float count32 = (float)n;
                vdi_binary(y.dtype, VDI_DIV, (size_t)width, to, 1,
                           y.dtype == VDI_F32 ? (const void *)&count32 : (const void *)&count, 0,
                           to);
            }
            continue;
        }
        for (int64_t j = 0; j < width; j++) {
            vdi_dtype_store(y.dtype, y.data, y0 + j * ys,
                            vdi__line_reduce(op, x.dtype, n, x.data, x0 + j * xs, step));
        }
    }
    return VDI_OK;
}
#endif
