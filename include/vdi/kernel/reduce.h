/* kernel/reduce.h - sums, maxima, softmax, gather: many numbers to few, always in one order
 *
 * Do this:
 *     double s = vdi_sum(VDI_F32, n, x);
 *     vdi_softmax(VDI_F32, rows, cols, x, cols, y, cols);
 *
 * The order of every sum is fixed by its length: element i goes to partial sum i mod 16 (F32) or i mod 8 (F64), and the partial
 * sums are added pairwise. So every path and any number of threads gives the same bits. Sums of F32 are kept in F32.
 */
#ifndef VDI_KERNEL_REDUCE_H
#define VDI_KERNEL_REDUCE_H
#include "cpu.h"

#define VDI__KERNELS_REDUCE(X) \
    X(sum, double, (size_t n, const void *x)) \
    X(dot, double, (size_t n, const void *x, const void *y)) \
    X(largest, double, (size_t n, const void *x)) \
    X(smallest, double, (size_t n, const void *x)) \
    X(sum_rows, void, (size_t rows, size_t cols, const void *x, size_t ldx, int accumulate, void *y)) \
    X(logsumexp, void, (size_t rows, size_t cols, const void *x, size_t ldx, void *y)) \
    X(softmax, void, (size_t rows, size_t cols, const void *x, size_t ldx, void *y, size_t ldy)) \
    X(log_softmax, void, (size_t rows, size_t cols, const void *x, size_t ldx, void *y, size_t ldy)) \
    X(nonfinite, size_t, (size_t n, const void *x))

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
/** y (cols) = [y +] the sum over rows of x (rows,cols), each column in rising order of rows: the gradient of a bias. */
VDI_API void vdi_sum_rows(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx, bool accumulate, void *y);
/** y[r] = log sum_c exp x[r,c]; -inf for an empty row or one of -inf. */
VDI_API void vdi_logsumexp(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx, void *y);
/** Row by row exp(x - logsumexp x), and its logarithm. y may be x. */
VDI_API void vdi_softmax(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx, void *y, size_t ldy);
VDI_API void vdi_log_softmax(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx, void *y, size_t ldy);
/** y[i,:] = x[index[i],:]. VDI_ERR_ARGUMENT (nothing written) if an index is outside 0..rows-1. */
VDI_API vdi_status vdi_gather_rows(vdi_dtype dtype, size_t count, const int64_t *index, size_t rows, size_t cols, const void *x, size_t ldx, void *y,
                                   size_t ldy);
/** y[index[i],:] += x[i,:], in rising order of i. */
VDI_API vdi_status vdi_scatter_add_rows(vdi_dtype dtype, size_t count, const int64_t *index, size_t rows, size_t cols, const void *x, size_t ldx,
                                        void *y, size_t ldy);

typedef enum vdi_reduce_op { VDI_REDUCE_SUM = 0, VDI_REDUCE_MEAN, VDI_REDUCE_MAX, VDI_REDUCE_MIN } vdi_reduce_op;
/** y = x reduced over one axis (the axis is absent in y, or has extent 1). */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_reduce(vdi_reduce_op op, vdi_tensor x, int axis, vdi_tensor y, vdi_error *err);

#endif /* VDI_KERNEL_REDUCE_H */
