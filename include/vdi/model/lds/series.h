/* model/lds/series.h - observations of trials in the form that all time-series models take: an
 * array (trials,T,n) or (T,n), with inputs, offsets and the lengths of ragged trials
 *
 * Nothing public: the checks of lds, plds and vilds, and the messages that they give.
 */
#ifndef VDI_MODEL_LDS_SERIES_H
#define VDI_MODEL_LDS_SERIES_H
#include "../../core/alloc.h"
#include "../../core/tensor.h"
#endif /* VDI_MODEL_LDS_SERIES_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_SERIES_C)
#define VDI_MODEL_LDS_SERIES_C

/* The shape of the observations: trials, bins, channels. */
typedef struct vdi__series {
    int64_t trials, T, n;
} vdi__series;

/* A (trials,T,channels) view of what may come as (T,channels). */
VDI__FN vdi_tensor vdi__series_view(vdi_tensor x) {
    if (x.ndim != 2) return x;
    vdi_tensor r = x;
    r.ndim = 3;
    for (int i = 2; i > 0; i--) {
        r.shape[i] = x.shape[i - 1];
        r.stride[i] = x.stride[i - 1];
    }
    r.shape[0] = 1;
    r.stride[0] = 0;
    return r;
}

/* y has n channels, and there is something in it: its shape. */
VDI__FN vdi_status vdi__series_of(vdi_tensor y, int64_t n, const char *where, vdi__series *s,
                                  vdi_error *err) {
    const vdi_tensor v = vdi__series_view(y);
    char text[VDI_SHAPE_TEXT];
    if (v.ndim != 3 || !v.data || v.shape[2] != n) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "y is %s, expected (trials,T,%lld) or (T,%lld)",
                             vdi_tensor_shape_text(y, text), (long long)n, (long long)n);
    }
    if (v.shape[0] < 1 || v.shape[1] < 1) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "y is %s: there is nothing in it",
                             vdi_tensor_shape_text(y, text));
    }
    s->trials = v.shape[0];
    s->T = v.shape[1];
    s->n = n;
    return VDI_OK;
}

/* An array `name` of so many columns for the bins of y; none is asked for where there are no
 * columns. */
VDI__FN vdi_status vdi__series_check_columns(const vdi__series *s, vdi_tensor x, int64_t columns,
                                             const char *name, const char *where, vdi_error *err) {
    const vdi_tensor v = vdi__series_view(x);
    char text[VDI_SHAPE_TEXT];
    if (columns == 0) return VDI_OK;
    if (v.ndim == 3 && v.data && v.shape[0] == s->trials && v.shape[1] == s->T &&
        v.shape[2] == columns)
        return VDI_OK;
    return vdi_error_set(err, VDI_ERR_SHAPE, where, "%s is %s, expected (%lld,%lld,%lld)", name,
                         vdi_tensor_shape_text(x, text), (long long)s->trials, (long long)s->T,
                         (long long)columns);
}

/* An offset as (trials,T,n); the null tensor if it does not broadcast to that. */
VDI__FN vdi_tensor vdi__series_broadcast(const vdi__series *s, vdi_tensor offset) {
    int64_t shape[3];
    shape[0] = s->trials;
    shape[1] = s->T;
    shape[2] = s->n;
    return vdi_tensor_broadcast_to(offset, 3, shape);
}

VDI__FN vdi_status vdi__series_check_offset(const vdi__series *s, vdi_tensor offset,
                                            const char *where, vdi_error *err) {
    char text[VDI_SHAPE_TEXT];
    if (vdi_tensor_ok(vdi__series_broadcast(s, offset))) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_SHAPE, where,
                         "offset is %s, which does not broadcast to (%lld,%lld,%lld)",
                         vdi_tensor_shape_text(offset, text), (long long)s->trials, (long long)s->T,
                         (long long)s->n);
}

/* Lengths (trials), each from `least` to T; NULL: all are T. */
VDI__FN vdi_status vdi__series_check_lengths(const vdi__series *s, const int64_t *lengths,
                                             int64_t least, const char *where, vdi_error *err) {
    for (int64_t i = 0; lengths && i < s->trials; i++) {
        if (lengths[i] >= least && lengths[i] <= s->T) continue;
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "lengths[%lld] is %lld, expected %lld..%lld", (long long)i,
                             (long long)lengths[i], (long long)least, (long long)s->T);
    }
    return VDI_OK;
}

/* Their copy in an arena; NULL when memory is out. */
VDI__FN int64_t *vdi__series_lengths(const vdi__series *s, const int64_t *lengths,
                                     vdi_arena *arena) {
    int64_t *copy =
        (int64_t *)vdi_arena_alloc(arena, vdi_mul_size((size_t)s->trials, sizeof *copy));
    for (int64_t i = 0; copy && i < s->trials; i++)
        copy[i] = lengths ? lengths[i] : s->T;
    return copy;
}

/* How many values there are, or SIZE_MAX if that is no number of them. */
VDI__FN size_t vdi__series_values(const vdi__series *s, int64_t columns) {
    return vdi_mul_size(vdi_mul_size((size_t)s->trials, (size_t)s->T), (size_t)columns);
}
#endif
