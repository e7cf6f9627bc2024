/* kernel/gemm.h - matrix products, with bias and activation in the same pass
 *
 * Do this:
 *     vdi_gemm(VDI_F32, 0, m, n, k, A, k, B, n, C, n);   C = A B, row-major
 *     vdi_gemm(VDI_F32, VDI_GEMM_TB | VDI_GEMM_ACC, m, n, k, A, k, B, k, C, n);   C += A B'
 *     vdi_gemm_batch(VDI_F64, 0, 1000, 4, 4, 4, A, 4, 16, B, 4, 16, C, 4, 16);   1000 of (4,4)
 *     vdi_affine(VDI_F32, rows, out, in, x, in, W, out, bias, VDI_ACT_TANH, 0, y, out);
 *
 * Every element of C is one chain of fused multiply-adds over k in rising order, begun at 0 (at C
 * with VDI_GEMM_ACC, at the bias in vdi_affine). So it does not depend on m, n, the blocking, or
 * the number of threads; AVX2, AVX-512 and NEON give the same bits. A leading dimension may be
 * smaller than the row is long: rows may overlap in A, which is how conv1d is a gemm.
 * C may not overlap A or B. No memory is allocated; at most 24 KiB of stack is used. Blocks of
 * large products are cut for the processor's second-level cache; by the rule of one chain that does
 * not show in the bits.
 */
#ifndef VDI_KERNEL_GEMM_H
#define VDI_KERNEL_GEMM_H
#include "cpu.h"

/** Flags of vdi_gemm. */
enum {
    VDI_GEMM_TA = 1, /**< A is stored (k,m) */
    VDI_GEMM_TB = 2, /**< B is stored (n,k) */
    VDI_GEMM_ACC = 4 /**< add to C instead of overwriting it */
};

/** Activations that can be fused to a product. */
typedef enum vdi_act {
    VDI_ACT_NONE = 0,
    VDI_ACT_RELU,
    VDI_ACT_LEAKY_RELU, /**< x > 0 ? x : act_param x; act_param 0 means 0.2 */
    VDI_ACT_TANH,
    VDI_ACT_SIGMOID,
    VDI_ACT_SOFTPLUS,
    VDI_ACT_EXP
} vdi_act;

/** C (m,n) = op(A) (m,k) op(B) (k,n) [+ C]. `flags`: VDI_GEMM_*. lda, ldb, ldc in elements. */
VDI_API void vdi_gemm(vdi_dtype dtype, int flags, size_t m, size_t n, size_t k, const void *a,
                      size_t lda, const void *b, size_t ldb, void *c, size_t ldc);
/** C_i = op(A_i) op(B_i) [+ C_i] for i < count: products of one shape, each bit for bit what
 * vdi_gemm gives, with the set-up paid once. A_i begins step_a elements after the one before it,
 * B_i and C_i likewise; with a step of 0 one A or B serves all. No C_i may overlap another, or any
 * A or B. `flags` as in vdi_gemm; there is no alpha and no beta other than 0 and 1. */
VDI_API void vdi_gemm_batch(vdi_dtype dtype, int flags, size_t count, size_t m, size_t n, size_t k,
                            const void *a, size_t lda, size_t step_a, const void *b, size_t ldb,
                            size_t step_b, void *c, size_t ldc, size_t step_c);
/** y (m,n) = act(bias + x (m,k) W (k,n)): a layer; `bias` (n) or NULL. */
VDI_API void vdi_affine(vdi_dtype dtype, size_t m, size_t n, size_t k, const void *x, size_t ldx,
                        const void *w, size_t ldw, const void *bias, vdi_act act, double act_param,
                        void *y, size_t ldy);
/** y = op(A) x [+ y]; A is stored (m,n). Without VDI_GEMM_TA x has n entries and y has m; with it
 * the other way round. */
VDI_API void vdi_gemv(vdi_dtype dtype, int flags, size_t m, size_t n, const void *a, size_t lda,
                      const void *x, void *y);
/** A (m,n) += x y'. */
VDI_API void vdi_ger(vdi_dtype dtype, size_t m, size_t n, const void *x, const void *y, void *a,
                     size_t lda);
/** dz = dy * act'(.), from the activation's output y: n elements, dz may be dy or y. At a kink the
 * derivative from the left. */
VDI_API void vdi_act_grad(vdi_dtype dtype, vdi_act act, double act_param, size_t n, const void *y,
                          const void *dy, void *dz);

/* ---- private --------------------------------------------------------------------------------- */

/* The request of one product; every pointer and stride in elements of the pass's real type */
typedef struct vdi__gemm_args {
    int flags;
    size_t m, n, k;
    size_t runs, jump; /* more than one run: there are runs * k steps, and after each k of them a
                          row of A goes on `jump` elements further (neither operand transposed) */
    const void *a, *b;
    size_t lda, ldb, ldc;
    void *c;
    const void *bias; /* (n) or NULL: what the chains begin at, unless VDI_GEMM_ACC */
    vdi_act act;
    double act_param;
} vdi__gemm_args;
/* A product without bias and activation */
VDI__INLINE vdi__gemm_args vdi__gemm_product(int flags, size_t m, size_t n, size_t k, const void *a,
                                             size_t lda, const void *b, size_t ldb, void *c,
                                             size_t ldc) {
    vdi__gemm_args g = VDI__ZERO;
    g.flags = flags;
    g.m = m;
    g.n = n;
    g.k = k;
    g.a = a;
    g.lda = lda;
    g.b = b;
    g.ldb = ldb;
    g.c = c;
    g.ldc = ldc;
    return g;
}
/* As many products of one shape: elements from one operand to the next */
typedef struct vdi__gemm_many {
    size_t count, step_a, step_b, step_c;
} vdi__gemm_many;
/* One register tile: C (rows,cols) = init + A B over k steps; element (i,p) of A at a[i * ars + p *
 * acs], (p,j) of B at b[p * ldb + j]. As many steps again in each further run, for which A begins
 * `jump` elements behind the last step's next; a tile of one vector has one run, and so have all
 * tiles of a path without registers to spare. */
typedef struct vdi__tile {
    const void *a, *b, *init; /* init NULL: zero; ldinit 0: one row for all (a bias) */
    void *c;
    size_t ars, acs, ldb, ldinit, ldc, k, runs, jump, rows, cols;
    bool ahead; /* C is large: fetch the next tile of it early */
} vdi__tile;
typedef void vdi__tile_fn(const vdi__tile *t);
#define VDI__KERNELS_GEMM(X)                                                                \
    X(gemm, OWN, void, (const vdi__gemm_args *g))                                           \
    X(gemm_plain, OWN, void,                                                                \
      (vdi_dtype dtype, int flags, size_t m, size_t n, size_t k, const void *a, size_t lda, \
       const void *b, size_t ldb, void *c, size_t ldc))                                     \
    X(gemm_batch, OWN, void, (const vdi__gemm_args *g, const vdi__gemm_many *batch))        \
    X(act_grad, LENT, void,                                                                 \
      (vdi_act act, double p, size_t n, const void *y, const void *dy, void *dz))

#endif /* VDI_KERNEL_GEMM_H */

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_GEMM_C)
#define VDI_KERNEL_GEMM_C

VDI__DEF void vdi_gemm(vdi_dtype dtype, int flags, size_t m, size_t n, size_t k, const void *a,
                       size_t lda, const void *b, size_t ldb, void *c, size_t ldc) {
    vdi__kernels_of(dtype)->gemm_plain(dtype, flags, m, n, k, a, lda, b, ldb, c, ldc);
}

VDI__DEF void vdi_gemm_batch(vdi_dtype dtype, int flags, size_t count, size_t m, size_t n, size_t k,
                             const void *a, size_t lda, size_t step_a, const void *b, size_t ldb,
                             size_t step_b, void *c, size_t ldc, size_t step_c) {
    vdi__gemm_many batch;
    batch.count = count;
    batch.step_a = step_a;
    batch.step_b = step_b;
    batch.step_c = step_c;
    const vdi__gemm_args g = vdi__gemm_product(flags, m, n, k, a, lda, b, ldb, c, ldc);
    vdi__kernels_of(dtype)->gemm_batch(&g, &batch);
}

VDI__DEF void vdi_affine(vdi_dtype dtype, size_t m, size_t n, size_t k, const void *x, size_t ldx,
                         const void *w, size_t ldw, const void *bias, vdi_act act, double act_param,
                         void *y, size_t ldy) {
    vdi__gemm_args g = VDI__ZERO;
    g.m = m;
    g.n = n;
    g.k = k;
    g.a = x;
    g.lda = ldx;
    g.b = w;
    g.ldb = ldw;
    g.c = y;
    g.ldc = ldy;
    g.bias = bias;
    g.act = act;
    g.act_param = act_param;
    vdi__kernels_of(dtype)->gemm(&g);
}

VDI__DEF void vdi_gemv(vdi_dtype dtype, int flags, size_t m, size_t n, const void *a, size_t lda,
                       const void *x, void *y) {
    /* y' = x' op(A)': a product with one row, so that the lanes run across the outputs */
    bool turned = (flags & VDI_GEMM_TA) != 0;
    vdi_gemm(dtype, (flags & VDI_GEMM_ACC) | (turned ? 0 : VDI_GEMM_TB), 1, turned ? n : m,
             turned ? m : n, x, turned ? m : n, a, lda, y, turned ? n : m);
}

VDI__DEF void vdi_ger(vdi_dtype dtype, size_t m, size_t n, const void *x, const void *y, void *a,
                      size_t lda) {
    vdi_gemm(dtype, VDI_GEMM_ACC, m, n, 1, x, 1, y, n, a, lda);
}

VDI__DEF void vdi_act_grad(vdi_dtype dtype, vdi_act act, double act_param, size_t n, const void *y,
                           const void *dy, void *dz) {
    vdi__kernels_of(dtype)->act_grad(act, act_param, n, y, dy, dz);
}
#endif
