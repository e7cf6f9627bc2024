/* kernel/rnn.h - a gated recurrent unit over a sequence
 *
 * Do this:
 *     vdi_gemm(...)                       xp (T,B,3H) = x W_ih + b_ih, all times at once
 *     vdi_gru_forward(VDI_F32, T, B, H, reverse, xp, w_hh, b_hh, h0, work, h, gates);
 *
 * Gate order r, z, n as in PyTorch:
 *     r = sig(xp_r + h W_r + b_r);  z = sig(xp_z + h W_z + b_z);
 *     n = tanh(xp_n + r * (h W_n + b_n));  h' = (1 - z) * n + z * h
 * w_hh (H,3H), b_hh (3H), h0 (B,H) or NULL for zero, h (T,B,H) the states after each step.
 * `reverse` runs from T-1 down to 0. A row's bits do not depend on the batch. Cho et al. 2014; the
 * form with r after the product is that of cuDNN and PyTorch.
 */
#ifndef VDI_KERNEL_RNN_H
#define VDI_KERNEL_RNN_H
#include "gemm.h"

/** One step for `rows` rows: h_next (rows,H) from xp (rows,3H) and h (rows,H). `work` holds rows *
 * 3H elements. gates (rows,4H) receives r, z, n and h W_n + b_n for the backward pass, or is NULL.
 * h_next may be h. */
VDI_API void vdi_gru_step(vdi_dtype dtype, size_t rows, size_t hidden, const void *xp,
                          const void *w_hh, const void *b_hh, const void *h, void *work,
                          void *h_next, void *gates);
/** A whole sequence; gates (T,B,4H) or NULL for inference. `work` holds B * 3H elements. */
VDI_API void vdi_gru_forward(vdi_dtype dtype, size_t t, size_t batch, size_t hidden, bool reverse,
                             const void *xp, const void *w_hh, const void *b_hh, const void *h0,
                             void *work, void *h, void *gates);
/** Backward through a whole sequence. dh (T,B,H) is the gradient of the states and is used as
 * scratch; adds to dxp (T,B,3H), dw_hh (H,3H), db_hh (3H), dh0 (B,H) (each may be NULL except dxp).
 * `work` holds vdi_gru_backward_work(...) elements. */
VDI_API void vdi_gru_backward(vdi_dtype dtype, size_t t, size_t batch, size_t hidden, bool reverse,
                              const void *w_hh, const void *h0, const void *h, const void *gates,
                              void *dh, void *work, void *dxp, void *dw_hh, void *db_hh, void *dh0);
VDI_API size_t vdi_gru_backward_work(size_t t, size_t batch, size_t hidden);

/* ---- private: the kernels -------------------------------------------------------------------- */

#define VDI__KERNELS_RNN(X)                                                               \
    X(gru_gates, OWN, void,                                                               \
      (size_t rows, size_t hidden, const void *xp, void *hp, const void *h, void *h_next, \
       void *gates))                                                                      \
    X(gru_gates_grad, LENT, void,                                                         \
      (size_t rows, size_t hidden, const void *gates, const void *h, const void *dh_next, \
       void *dxp, void *dhp, void *dh))

#endif /* VDI_KERNEL_RNN_H */

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_RNN_C)
#define VDI_KERNEL_RNN_C

/* rows whose product is finished and still in the cache when the gates read it */
#define VDI__GRU_ROWS 64

VDI__DEF void vdi_gru_step(vdi_dtype dtype, size_t rows, size_t hidden, const void *xp,
                           const void *w_hh, const void *b_hh, const void *h, void *work,
                           void *h_next, void *gates) {
    const vdi__kernels *kernels = vdi__kernels_of(dtype);
    const size_t size = vdi_dtype_size(dtype), H = hidden;
    vdi__gemm_args g = VDI__ZERO;
    g.n = 3 * H;
    g.k = H;
    g.lda = H;
    g.ldb = g.ldc = 3 * H;
    g.b = w_hh;
    g.bias = b_hh;
    g.c = work;
    for (size_t r = 0; r < rows; r += g.m) {
        g.m = VDI__MIN(rows - r, VDI__GRU_ROWS);
        g.a = (const char *)h + r * H * size;
        kernels->gemm(&g);
        kernels->gru_gates(g.m, H, (const char *)xp + r * 3 * H * size, work, g.a,
                           (char *)h_next + r * H * size,
                           gates ? (char *)gates + r * 4 * H * size : NULL);
    }
}

VDI__DEF void vdi_gru_forward(vdi_dtype dtype, size_t t, size_t batch, size_t hidden, bool reverse,
                              const void *xp, const void *w_hh, const void *b_hh, const void *h0,
                              void *work, void *h, void *gates) {
    const size_t state = batch * hidden * vdi_dtype_size(dtype);
    const void *before = h0;
    if (!state || !t) return;
    if (!h0) { /* zeros are written where the first state will stand: a step may run in place */
        before = (char *)h + (reverse ? (t - 1) * state : 0);
        memset((char *)h + (reverse ? (t - 1) * state : 0), 0, state);
    }
    for (size_t s = 0; s < t; s++) {
        const size_t at = reverse ? t - 1 - s : s;
        vdi_gru_step(dtype, batch, hidden, (const char *)xp + 3 * at * state, w_hh, b_hh, before,
                     work, (char *)h + at * state, gates ? (char *)gates + 4 * at * state : NULL);
        before = (char *)h + at * state;
    }
}

/* dhp of all times, the transposed weights, a state of zeros, and the gradient that goes from a
 * state to the one before */
VDI__DEF size_t vdi_gru_backward_work(size_t t, size_t batch, size_t hidden) {
    const size_t times = vdi_mul_size(3, vdi_add_size(vdi_mul_size(t, batch), hidden));
    return vdi_mul_size(hidden, vdi_add_size(times, vdi_mul_size(2, batch)));
}

VDI__DEF void vdi_gru_backward(vdi_dtype dtype, size_t t, size_t batch, size_t hidden, bool reverse,
                               const void *w_hh, const void *h0, const void *h, const void *gates,
                               void *dh, void *work, void *dxp, void *dw_hh, void *db_hh,
                               void *dh0) {
    const vdi__kernels *kernels = vdi__kernels_of(dtype);
    const size_t size = vdi_dtype_size(dtype), H = hidden, state = batch * H * size;
    char *dhp = (char *)work;
    char *transposed = dhp + 3 * t * state;
    char *zeros = transposed + 3 * H * H * size;
    char *carry = zeros + state;
    if (!state || !t) return;
    for (size_t i = 0; i < H; i++) {
        for (size_t j = 0; j < 3 * H; j++)
            memcpy(transposed + (j * H + i) * size, (const char *)w_hh + (i * 3 * H + j) * size,
                   size);
    }
    memset(zeros, 0, state);
    if (!h0) h0 = zeros;
    for (size_t s = t; s-- > 0;) {
        const size_t at = reverse ? t - 1 - s : s, previous = reverse ? at + 1 : at - 1;
        const void *before = s ? (const char *)h + previous * state : (const char *)h0;
        kernels->gru_gates_grad(batch, H, (const char *)gates + 4 * at * state, before,
                                (char *)dh + at * state, (char *)dxp + 3 * at * state,
                                dhp + 3 * at * state, carry);
        if (s || dh0) {
            void *to = s ? (char *)dh + previous * state : (char *)dh0;
            vdi_gemm(dtype, VDI_GEMM_ACC, batch, H, 3 * H, dhp + 3 * at * state, 3 * H, transposed,
                     H, carry, H);
            kernels->axpby(batch * H, 1, carry, 1, to);
        }
    }
    /* the weights: rows of states before (a time apart from dhp) in rising order of memory */
    const char *inner = reverse ? (const char *)h + state : (const char *)h;
    const size_t edge = reverse ? t - 1 : 0, body = reverse ? 0 : 1;
    for (int part = 0; part < 2 && dw_hh; part++) {
        const bool at_edge = (part == 0) != reverse;
        vdi_gemm(dtype, VDI_GEMM_TA | VDI_GEMM_ACC, H, 3 * H, at_edge ? batch : (t - 1) * batch,
                 at_edge ? h0 : inner, H, dhp + 3 * (at_edge ? edge : body) * state, 3 * H, dw_hh,
                 3 * H);
    }
    if (db_hh) kernels->sum_rows(t * batch, 3 * H, dhp, 3 * H, 1, db_hh);
}
#endif
