/* kernel/conv.h - one-dimensional convolution over time, channels last
 *
 * Do this:
 *     vdi_conv1d(VDI_F32, batch, T, cin, cout, width, pad_left, x, w, bias, VDI_ACT_LEAKY_RELU, 0.2, y);
 *
 * x (B,T,cin), w (width,cin,cout), y (B,T,cout), all packed:
 *     y[b,t,o] = act(bias[o] + sum_{j,i} x[b, t - pad_left + j, i] w[j,i,o]),   x = 0 outside 0..T-1.
 * pad_left = (width-1)/2 is the usual "same" padding, width-1 a causal filter, 0 looks only ahead. Each output is one chain of
 * FMAs over (j,i) in rising order that leaves the padding out: a window fed frame by frame gives the same bits as the whole.
 * (It is a gemm whose rows overlap: row t of the left matrix begins at frame t - pad_left.)
 */
#ifndef VDI_KERNEL_CONV_H
#define VDI_KERNEL_CONV_H
#include "gemm.h"

/** Forward; bias (cout) or NULL. */
VDI_API void vdi_conv1d(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout, size_t width, size_t pad_left, const void *x,
                        const void *w, const void *bias, vdi_act act, double act_param, void *y);
/** dx (B,T,cin) += gradient with respect to x, from dz (B,T,cout), the gradient before the activation.
 *  `work`: vdi_conv1d_grad_work(...) elements for the flipped weights. */
VDI_API void vdi_conv1d_grad_input(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout, size_t width, size_t pad_left,
                                   const void *dz, const void *w, void *work, void *dx);
VDI_API size_t vdi_conv1d_grad_work(size_t cin, size_t cout, size_t width);
/** dw (width,cin,cout) += gradient with respect to w; dbias (cout) += that of the bias, or NULL. In rising order of (b,t). */
VDI_API void vdi_conv1d_grad_weight(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout, size_t width, size_t pad_left,
                                    const void *dz, const void *x, void *dw, void *dbias);

#endif /* VDI_KERNEL_CONV_H */

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_CONV_C)
#define VDI_KERNEL_CONV_C

VDI__FN const void *vdi__const_at(vdi_dtype dtype, const void *p, int64_t i) {
    return (const char *)p + i * (int64_t)vdi_dtype_size(dtype);
}
VDI__FN void *vdi__offset_ptr(vdi_dtype dtype, void *p, int64_t i) { return (char *)p + i * (int64_t)vdi_dtype_size(dtype); }

/* y[t] (+)= sum_j x[t - pad + j] w[j] of one sequence. In the middle, frames pad <= t < T + pad - width + 1, no tap falls on the padding
   and the convolution is one gemm. The frames at both ends go tap by tap: tap j serves the frames max(0, pad - j) <= t < min(T, T + pad -
   j), and neighbouring taps that serve the same frames are one gemm. Those frames begin at the bias, which is laid down first. */
typedef struct vdi__conv {
    vdi_dtype dtype;
    int64_t t, cin, cout, width, pad;
    const void *w, *bias;
    vdi_act act;
    double act_param;
    bool accumulate;
} vdi__conv;

VDI__FN void vdi__conv_rows(const vdi__conv *v, const void *x, void *y, int64_t from, int64_t to, int64_t tap, int64_t taps, bool first,
                            bool last) {
    vdi__gemm_args g = VDI__ZERO;
    if (from >= to) return;
    g.flags = first ? 0 : VDI_GEMM_ACC;
    g.m = (size_t)(to - from), g.n = (size_t)v->cout, g.k = (size_t)(taps * v->cin);
    g.a = taps ? vdi__const_at(v->dtype, x, (from - v->pad + tap) * v->cin) : x;
    g.lda = (size_t)v->cin;
    g.b = vdi__const_at(v->dtype, v->w, tap * v->cin * v->cout);
    g.ldb = g.ldc = (size_t)v->cout;
    g.c = vdi__offset_ptr(v->dtype, y, from * v->cout);
    g.bias = v->bias;
    if (last) g.act = v->act, g.act_param = v->act_param;
    vdi__kernels_of(v->dtype)->gemm(&g);
}

VDI__FN void vdi__conv_edge(const vdi__conv *v, const void *x, void *y, int64_t from, int64_t to) {
    if (from >= to) return;
    if (!v->accumulate) vdi__conv_rows(v, x, y, from, to, 0, 0, true, false);
    for (int64_t j = 0; j < v->width;) {
        const int64_t lo = VDI__MAX(from, v->pad - j), hi = VDI__MIN(to, v->t + v->pad - j), first = j;
        for (j++; j < v->width; j++)
            if (VDI__MAX(from, v->pad - j) != lo || VDI__MIN(to, v->t + v->pad - j) != hi) break;
        vdi__conv_rows(v, x, y, lo, hi, first, j - first, false, false);
    }
    if (v->act != VDI_ACT_NONE) vdi__conv_rows(v, x, y, from, to, 0, 0, false, true);
}

VDI__FN void vdi__conv_run(const vdi__conv *v, int64_t batch, const void *x, void *y) {
    const int64_t start = VDI__MIN(VDI__MAX(v->pad, 0), v->t), end = VDI__MAX(VDI__MIN(v->t, v->t + v->pad - v->width + 1), start);
    for (int64_t b = 0; b < batch; b++) {
        vdi__conv_edge(v, x, y, 0, start);
        vdi__conv_rows(v, x, y, start, end, 0, v->width, !v->accumulate, true);
        vdi__conv_edge(v, x, y, end, v->t);
        x = vdi__const_at(v->dtype, x, v->t * v->cin);
        y = vdi__offset_ptr(v->dtype, y, v->t * v->cout);
    }
}

VDI__DEF void vdi_conv1d(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout, size_t width, size_t pad_left, const void *x,
                         const void *w, const void *bias, vdi_act act, double act_param, void *y) {
    vdi__conv v = VDI__ZERO;
    v.dtype = dtype;
    v.t = (int64_t)t, v.cin = (int64_t)cin, v.cout = (int64_t)cout, v.width = (int64_t)width, v.pad = (int64_t)pad_left;
    v.w = w, v.bias = bias;
    v.act = act, v.act_param = act_param;
    vdi__conv_run(&v, (int64_t)batch, x, y);
}

VDI__DEF size_t vdi_conv1d_grad_work(size_t cin, size_t cout, size_t width) { return width * cin * cout; }

/* dx[s,i] = sum_{j,o} dz[s + pad - j, o] w[j,i,o]: the same convolution, of dz, with the taps in reverse order and w[j] transposed. */
VDI__DEF void vdi_conv1d_grad_input(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout, size_t width, size_t pad_left,
                                    const void *dz, const void *w, void *work, void *dx) {
    vdi__conv v = VDI__ZERO;
    v.dtype = dtype;
    v.t = (int64_t)t, v.cin = (int64_t)cout, v.cout = (int64_t)cin, v.width = (int64_t)width;
    v.pad = (int64_t)width - 1 - (int64_t)pad_left;
    v.w = work;
    v.accumulate = true;
    for (size_t j = 0; j < width; j++)
        for (size_t i = 0; i < cin; i++)
            for (size_t o = 0; o < cout; o++) {
                const size_t from = (j * cin + i) * cout + o, to = ((width - 1 - j) * cout + o) * cin + i;
                if (dtype == VDI_F32) ((float *)work)[to] = ((const float *)w)[from];
                else ((double *)work)[to] = ((const double *)w)[from];
            }
    vdi__conv_run(&v, (int64_t)batch, dz, dx);
}

/* dw (width*cin, cout) += X' dz, X (T, width*cin) with overlapping rows; at the ends of a sequence a row of X is cut, and is added alone.
 */
VDI__DEF void vdi_conv1d_grad_weight(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout, size_t width, size_t pad_left,
                                     const void *dz, const void *x, void *dw, void *dbias) {
    const int64_t T = (int64_t)t, pad = (int64_t)pad_left, taps = (int64_t)width, ci = (int64_t)cin, co = (int64_t)cout;
    const int64_t start = VDI__MIN(pad, T), end = VDI__MAX(VDI__MIN(T, T + pad - taps + 1), start);
    for (size_t b = 0; b < batch; b++) {
        for (int64_t s = 0; s < T;) {
            const bool middle = s >= start && s < end;
            const int64_t rows = middle ? end - s : 1, lo = VDI__MAX(0, pad - s), hi = VDI__MIN(taps, T + pad - s);
            if (lo < hi)
                vdi_gemm(dtype, VDI_GEMM_TA | VDI_GEMM_ACC, (size_t)((hi - lo) * ci), cout, (size_t)rows,
                         vdi__const_at(dtype, x, (s - pad + lo) * ci), cin, vdi__const_at(dtype, dz, s * co), cout,
                         vdi__offset_ptr(dtype, dw, lo * ci * co), cout);
            s += rows;
        }
        if (dbias) vdi__kernels_of(dtype)->sum_rows(t, cout, dz, cout, 1, dbias);
        x = vdi__const_at(dtype, x, T * ci);
        dz = vdi__const_at(dtype, dz, T * co);
    }
}
#endif
