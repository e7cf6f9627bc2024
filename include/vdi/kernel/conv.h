/* kernel/conv.h - one-dimensional convolution over time, channels last
 *
 * Do this:
 *     vdi_conv1d(VDI_F32, batch, T, cin, cout, width, pad_left, x, w, bias, VDI_ACT_LEAKY_RELU,
 *         0.2, y);
 *
 * x (B,T,cin), w (width,cin,cout), y (B,T,cout), all packed:
 *     y[b,t,o] = act(bias[o] + sum_{j,i} x[b, t - pad_left + j, i] w[j,i,o]),
 *     x = 0 outside 0..T-1.
 * The dilated form uses every `dilation`-th frame: x[b, t - pad_left + j dilation, i].
 * pad_left = (width-1)/2 is the usual "same" padding, width-1 a causal filter, 0 looks only ahead.
 * Each output is one chain of FMAs over (j,i) in rising order that leaves the padding out: a window
 * fed frame by frame gives the same bits as the whole. (It is a gemm whose rows overlap: row t of
 * the left matrix begins at frame t - pad_left.)
 */
#ifndef VDI_KERNEL_CONV_H
#define VDI_KERNEL_CONV_H
#include "gemm.h"

/** Forward; bias (cout) or NULL. */
VDI_API void vdi_conv1d(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout,
                        size_t width, size_t pad_left, const void *x, const void *w,
                        const void *bias, vdi_act act, double act_param, void *y);
/** dx (B,T,cin) += gradient with respect to x, from dz (B,T,cout), the gradient before the
 * activation.
 *  `work`: vdi_conv1d_grad_work(...) elements for the flipped weights. */
VDI_API void vdi_conv1d_grad_input(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout,
                                   size_t width, size_t pad_left, const void *dz, const void *w,
                                   void *work, void *dx);
VDI_API size_t vdi_conv1d_grad_work(size_t cin, size_t cout, size_t width);
/** dw (width,cin,cout) += gradient with respect to w; dbias (cout) += that of the bias, or NULL. In
 * rising order of (b,t). */
VDI_API void vdi_conv1d_grad_weight(vdi_dtype dtype, size_t batch, size_t t, size_t cin,
                                    size_t cout, size_t width, size_t pad_left, const void *dz,
                                    const void *x, void *dw, void *dbias);

/** What a dilated convolution is made of; all counts in frames or channels. */
typedef struct vdi_conv1d_shape {
    size_t batch, t;        /**< sequences, frames of each */
    size_t cin, cout;       /**< channels */
    size_t width, pad_left; /**< taps; frames before t that the first tap looks at */
    size_t dilation;        /**< frames from tap to tap; 0 means 1 */
} vdi_conv1d_shape;
/** vdi_conv1d with its taps `dilation` frames apart. */
VDI_API void vdi_conv1d_dilated(vdi_dtype dtype, const vdi_conv1d_shape *s, const void *x,
                                const void *w, const void *bias, vdi_act act, double act_param,
                                void *y);
/** vdi_conv1d_grad_input likewise; the same `work`. */
VDI_API void vdi_conv1d_dilated_grad_input(vdi_dtype dtype, const vdi_conv1d_shape *s,
                                           const void *dz, const void *w, void *work, void *dx);
/** vdi_conv1d_grad_weight likewise. */
VDI_API void vdi_conv1d_dilated_grad_weight(vdi_dtype dtype, const vdi_conv1d_shape *s,
                                            const void *dz, const void *x, void *dw, void *dbias);

#endif /* VDI_KERNEL_CONV_H */

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_CONV_C)
#define VDI_KERNEL_CONV_C

VDI__FN const void *vdi__const_at(vdi_dtype dtype, const void *p, int64_t i) {
    return (const char *)p + i * (int64_t)vdi_dtype_size(dtype);
}
VDI__FN void *vdi__offset_ptr(vdi_dtype dtype, void *p, int64_t i) {
    return (char *)p + i * (int64_t)vdi_dtype_size(dtype);
}

/* y[t] (+)= sum_j x[t - pad + j D] w[j] of one sequence, D the dilation. The frames in the middle,
   pad <= t < T + pad - (width - 1) D, meet no padding, and are one gemm over all taps; for D > 1
   with a run of k for each tap. At the ends it goes tap by tap: tap j serves the frames
   max(0, pad - j D) <= t < min(T, T + pad - j D), and neighbouring taps that serve the same frames
   are one gemm if D = 1. Those frames begin at the bias, which is laid down first. (All frames tap
   by tap take a third longer at 32 channels: C is read and written once per tap.) */
typedef struct vdi__conv {
    vdi_dtype dtype;
    int64_t t, cin, cout, width, pad, dilation;
    const void *w, *bias;
    vdi_act act;
    double act_param;
    bool accumulate;
} vdi__conv;

VDI__FN void vdi__conv_rows(const vdi__conv *v, const void *x, void *y, int64_t from, int64_t to,
                            int64_t tap, int64_t taps, bool first, bool last) {
    vdi__gemm_args g = VDI__ZERO;
    if (from >= to) return;
    g.flags = first ? 0 : VDI_GEMM_ACC;
    g.m = (size_t)(to - from);
    g.n = (size_t)v->cout;
    g.k = (size_t)(v->dilation == 1 ? taps * v->cin : VDI__MIN(taps, (int64_t)1) * v->cin);
    g.runs = (size_t)(v->dilation == 1 ? 1 : taps);
    g.jump = (size_t)((v->dilation - 1) * v->cin);
    g.a = taps ? vdi__const_at(v->dtype, x, (from - v->pad + tap * v->dilation) * v->cin) : x;
    g.lda = (size_t)v->cin;
    g.b = vdi__const_at(v->dtype, v->w, tap * v->cin * v->cout);
    g.ldb = g.ldc = (size_t)v->cout;
    g.c = vdi__offset_ptr(v->dtype, y, from * v->cout);
    g.bias = v->bias;
    if (last) {
        g.act = v->act;
        g.act_param = v->act_param;
    }
    vdi__kernels_of(v->dtype)->gemm(&g);
}

VDI__FN void vdi__conv_edge(const vdi__conv *v, const void *x, void *y, int64_t from, int64_t to) {
    if (from >= to) return;
    if (!v->accumulate) vdi__conv_rows(v, x, y, from, to, 0, 0, true, false);
    for (int64_t j = 0; j < v->width;) {
        const int64_t lo = VDI__MAX(from, v->pad - j * v->dilation);
        const int64_t hi = VDI__MIN(to, v->t + v->pad - j * v->dilation);
        const int64_t first = j;
        for (j++; j < v->width && v->dilation == 1; j++)
            if (VDI__MAX(from, v->pad - j) != lo || VDI__MIN(to, v->t + v->pad - j) != hi) break;
        vdi__conv_rows(v, x, y, lo, hi, first, j - first, false, false);
    }
    if (v->act != VDI_ACT_NONE) vdi__conv_rows(v, x, y, from, to, 0, 0, false, true);
}

VDI__FN void vdi__conv_run(const vdi__conv *v, int64_t batch, const void *x, void *y) {
    const int64_t start = VDI__MIN(VDI__MAX(v->pad, 0), v->t);
    const int64_t reach = (v->width - 1) * v->dilation;
    const int64_t end = VDI__MAX(VDI__MIN(v->t, v->t + v->pad - reach), start);
    for (int64_t b = 0; b < batch; b++) {
        vdi__conv_edge(v, x, y, 0, start);
        vdi__conv_rows(v, x, y, start, end, 0, v->width, !v->accumulate, true);
        vdi__conv_edge(v, x, y, end, v->t);
        x = vdi__const_at(v->dtype, x, v->t * v->cin);
        y = vdi__offset_ptr(v->dtype, y, v->t * v->cout);
    }
}

VDI__FN vdi_conv1d_shape vdi__conv1d_shape(size_t batch, size_t t, size_t cin, size_t cout,
                                           size_t width, size_t pad_left) {
    vdi_conv1d_shape s = VDI__ZERO;
    s.batch = batch;
    s.t = t;
    s.cin = cin;
    s.cout = cout;
    s.width = width;
    s.pad_left = pad_left;
    return s;
}

VDI__FN vdi__conv vdi__conv_of(vdi_dtype dtype, const vdi_conv1d_shape *s) {
    vdi__conv v = VDI__ZERO;
    v.dtype = dtype;
    v.t = (int64_t)s->t;
    v.cin = (int64_t)s->cin;
    v.cout = (int64_t)s->cout;
    v.width = (int64_t)s->width;
    v.pad = (int64_t)s->pad_left;
    v.dilation = s->dilation ? (int64_t)s->dilation : 1;
    return v;
}

VDI__DEF void vdi_conv1d_dilated(vdi_dtype dtype, const vdi_conv1d_shape *s, const void *x,
                                 const void *w, const void *bias, vdi_act act, double act_param,
                                 void *y) {
    vdi__conv v = vdi__conv_of(dtype, s);
    v.w = w;
    v.bias = bias;
    v.act = act;
    v.act_param = act_param;
    vdi__conv_run(&v, (int64_t)s->batch, x, y);
}

VDI__DEF void vdi_conv1d(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout,
                         size_t width, size_t pad_left, const void *x, const void *w,
                         const void *bias, vdi_act act, double act_param, void *y) {
    const vdi_conv1d_shape s = vdi__conv1d_shape(batch, t, cin, cout, width, pad_left);
    vdi_conv1d_dilated(dtype, &s, x, w, bias, act, act_param, y);
}

VDI__DEF size_t vdi_conv1d_grad_work(size_t cin, size_t cout, size_t width) {
    return vdi_mul_size(width, vdi_mul_size(cin, cout));
}

/* dx[s,i] = sum_{j,o} dz[s + pad - j D, o] w[j,i,o]: the same convolution, of dz, with the taps in
 * reverse order and w[j] transposed. */
VDI__DEF void vdi_conv1d_dilated_grad_input(vdi_dtype dtype, const vdi_conv1d_shape *s,
                                            const void *dz, const void *w, void *work, void *dx) {
    const size_t width = s->width, cin = s->cin, cout = s->cout;
    vdi__conv v = VDI__ZERO;
    v.dtype = dtype;
    v.dilation = s->dilation ? (int64_t)s->dilation : 1;
    v.t = (int64_t)s->t;
    v.cin = (int64_t)cout;
    v.cout = (int64_t)cin;
    v.width = (int64_t)width;
    v.pad = ((int64_t)width - 1) * v.dilation - (int64_t)s->pad_left;
    v.w = work;
    v.accumulate = true;
    for (size_t j = 0; j < width; j++) {
        for (size_t i = 0; i < cin; i++) {
            for (size_t o = 0; o < cout; o++) {
                const size_t from = (j * cin + i) * cout + o;
                const size_t to = ((width - 1 - j) * cout + o) * cin + i;
                if (dtype == VDI_F32)
                    ((float *)work)[to] = ((const float *)w)[from];
                else
                    ((double *)work)[to] = ((const double *)w)[from];
            }
        }
    }
    vdi__conv_run(&v, (int64_t)s->batch, dz, dx);
}

VDI__DEF void vdi_conv1d_grad_input(vdi_dtype dtype, size_t batch, size_t t, size_t cin,
                                    size_t cout, size_t width, size_t pad_left, const void *dz,
                                    const void *w, void *work, void *dx) {
    const vdi_conv1d_shape s = vdi__conv1d_shape(batch, t, cin, cout, width, pad_left);
    vdi_conv1d_dilated_grad_input(dtype, &s, dz, w, work, dx);
}

/* What frames from ... to-1 of one sequence add to dw, frames in rising order for every tap: tap j
   serves max(from, pad - j D) <= t < min(to, T + pad - j D); neighbouring taps that serve the same
   frames are one gemm if D = 1. */
VDI__FN void vdi__conv_weight(const vdi__conv *v, const void *x, const void *dz, void *dw,
                              int64_t from, int64_t to) {
    for (int64_t j = 0; from < to && j < v->width;) {
        const int64_t first = j;
        const int64_t lo = VDI__MAX(from, v->pad - j * v->dilation);
        const int64_t hi = VDI__MIN(to, v->t + v->pad - j * v->dilation);
        for (j++; j < v->width && v->dilation == 1; j++) {
            if (VDI__MAX(from, v->pad - j) != lo || VDI__MIN(to, v->t + v->pad - j) != hi) break;
        }
        if (lo >= hi) continue;
        vdi_gemm(v->dtype, VDI_GEMM_TA | VDI_GEMM_ACC, (size_t)((j - first) * v->cin),
                 (size_t)v->cout, (size_t)(hi - lo),
                 vdi__const_at(v->dtype, x, (lo - v->pad + first * v->dilation) * v->cin),
                 (size_t)v->cin, vdi__const_at(v->dtype, dz, lo * v->cout), (size_t)v->cout,
                 vdi__offset_ptr(v->dtype, dw, first * v->cin * v->cout), (size_t)v->cout);
    }
}

/* dw (width*cin, cout) += X' dz, X (T, width*cin) with overlapping rows. At the ends of a sequence
   rows of X are cut; with a dilation taps are not neighbours in memory. */
VDI__DEF void vdi_conv1d_dilated_grad_weight(vdi_dtype dtype, const vdi_conv1d_shape *s,
                                             const void *dz, const void *x, void *dw, void *dbias) {
    const vdi__conv v = vdi__conv_of(dtype, s);
    const int64_t start = VDI__MIN(v.pad, v.t);
    const int64_t end = VDI__MAX(VDI__MIN(v.t, v.t + v.pad - v.width + 1), start);
    const bool whole = v.dilation > 1;
    for (size_t b = 0; b < s->batch; b++) {
        vdi__conv_weight(&v, x, dz, dw, 0, whole ? v.t : start);
        if (!whole) {
            vdi__conv_weight(&v, x, dz, dw, start, end);
            vdi__conv_weight(&v, x, dz, dw, end, v.t);
        }
        if (dbias) vdi__kernels_of(dtype)->sum_rows(s->t, s->cout, dz, s->cout, 1, dbias);
        x = vdi__const_at(dtype, x, v.t * v.cin);
        dz = vdi__const_at(dtype, dz, v.t * v.cout);
    }
}

VDI__DEF void vdi_conv1d_grad_weight(vdi_dtype dtype, size_t batch, size_t t, size_t cin,
                                     size_t cout, size_t width, size_t pad_left, const void *dz,
                                     const void *x, void *dw, void *dbias) {
    const vdi_conv1d_shape s = vdi__conv1d_shape(batch, t, cin, cout, width, pad_left);
    vdi_conv1d_dilated_grad_weight(dtype, &s, dz, x, dw, dbias);
}
#endif
