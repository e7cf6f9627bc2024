/* kernel/rnn.h - a gated recurrent unit over a sequence
 *
 * Do this:
 *     vdi_gemm(...)                       xp (T,B,3H) = x W_ih + b_ih, all times at once
 *     vdi_gru_forward(VDI_F32, T, B, H, reverse, xp, w_hh, b_hh, h0, h, gates);
 *
 * Gate order r, z, n as in PyTorch:
 *     r = sig(xp_r + h W_r + b_r);  z = sig(xp_z + h W_z + b_z);  n = tanh(xp_n + r * (h W_n + b_n));  h' = (1 - z) * n + z * h
 * w_hh (H,3H), b_hh (3H), h0 (B,H) or NULL for zero, h (T,B,H) the states after each step. `reverse` runs from T-1 down to 0.
 * A row's bits do not depend on the batch. Cho et al. 2014; the form with r after the product is that of cuDNN and PyTorch.
 */
#ifndef VDI_KERNEL_RNN_H
#define VDI_KERNEL_RNN_H
#include "gemm.h"

#define VDI__KERNELS_RNN(X) \
    X(gru_gates, void, (size_t rows, size_t hidden, const void *xp, const void *hp, const void *h, void *h_next, void *gates)) \
    X(gru_gates_grad, void, (size_t rows, size_t hidden, const void *gates, const void *h, const void *dh_next, void *dxp, void *dhp, void *dh))

/** One step for `rows` rows: h_next (rows,H) from xp (rows,3H) and h (rows,H). `work` holds rows * 3H elements.
 *  gates (rows,4H) receives r, z, n and h W_n + b_n for the backward pass, or is NULL. h_next may be h. */
VDI_API void vdi_gru_step(vdi_dtype dtype, size_t rows, size_t hidden, const void *xp, const void *w_hh, const void *b_hh, const void *h,
                          void *work, void *h_next, void *gates);
/** A whole sequence; gates (T,B,4H) or NULL for inference. `work` holds B * 3H elements. */
VDI_API void vdi_gru_forward(vdi_dtype dtype, size_t t, size_t batch, size_t hidden, bool reverse, const void *xp, const void *w_hh,
                             const void *b_hh, const void *h0, void *work, void *h, void *gates);
/** Backward through a whole sequence. dh (T,B,H) is the gradient of the states and is used as scratch; adds to dxp (T,B,3H), dw_hh (H,3H),
 *  db_hh (3H), dh0 (B,H) (each may be NULL except dxp). `work` holds vdi_gru_backward_work(...) elements. */
VDI_API void vdi_gru_backward(vdi_dtype dtype, size_t t, size_t batch, size_t hidden, bool reverse, const void *w_hh, const void *h0, const void *h,
                              const void *gates, void *dh, void *work, void *dxp, void *dw_hh, void *db_hh, void *dh0);
VDI_API size_t vdi_gru_backward_work(size_t t, size_t batch, size_t hidden);

#endif /* VDI_KERNEL_RNN_H */
