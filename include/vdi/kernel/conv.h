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
