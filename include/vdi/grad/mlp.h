/* grad/mlp.h - the multilayer perceptron of critic and policy: forward, backward and Adam on memory
 * that is there already
 *
 * A net has two to eight layers, rectified but for the last; weights are stored (in, out). All its
 * numbers stand in one block, each tensor on a 64-byte line, and gradient, Adam's memory and a
 * target copy are blocks of the same layout. A batch is cut by rows for the passes forward and
 * backward, and by rows of the weights for their gradients: every number is one chain of additions
 * whatever the cut, so that neither chunks nor threads show in the bits. Nothing is allocated after
 * the set-up.
 *
 * This header has no public part: the objects on it are model/sacd/critic.h and model/sacd/sacd.h.
 * A tape (grad/tape.h) could do all of this; written out it costs half, and the fixed shape is what
 * lets the passes of critics and policy be cut into equal jobs.
 */
#ifndef VDI_GRAD_MLP_H
#define VDI_GRAD_MLP_H
#include "../core/pool.h"
#include "params.h"
#include "../kernel/elementwise.h"
#include "../kernel/gemm.h"
#include "../kernel/optim.h"
#include "../kernel/reduce.h"

/** Most hidden layers of a critic or policy. */
#define VDI_MLP_LAYERS 7

#endif /* VDI_GRAD_MLP_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_MLP_C)
#define VDI_GRAD_MLP_C

enum {
    VDI__MLP_LAYERS = VDI_MLP_LAYERS + 1,
    VDI__MLP_SLICES = 8,    /* most slices of one layer's weight gradient */
    VDI__MLP_PIECE = 16384, /* parameters that one job of Adam takes */
    VDI__MLP_STRIP = 2048   /* ... and the stretch of them that is stepped and mixed before the
                               next */
};

/* The shape of a net, and where its tensors stand in a block. */
typedef struct vdi__mlp {
    vdi_dtype dtype;
    int layers;
    size_t width[VDI__MLP_LAYERS + 1]; /* inputs, hidden ..., outputs */
    size_t weight[VDI__MLP_LAYERS], bias[VDI__MLP_LAYERS];
    size_t trunk; /* elements before the last layer */
    size_t total;
    int slices; /* jobs of a weight gradient */
} vdi__mlp;

VDI__FN void *vdi__part(vdi_dtype dtype, const void *p, size_t i) {
    return (char *)(uintptr_t)p + i * (dtype == VDI_F64 ? sizeof(double) : sizeof(float));
}

VDI__FN size_t vdi__mlp_slice_rows(size_t in) {
    size_t rows = (in + VDI__MLP_SLICES - 1) / VDI__MLP_SLICES;
    return rows < 128 ? 128 : (rows + 15) / 16 * 16;
}

/* (rows, cols) elements from an arena, cleared; NULL where memory is out, or where there is no
   number for so many bytes. */
VDI__FN void *vdi__mlp_array(vdi_arena *a, vdi_dtype dtype, size_t rows, size_t cols) {
    return vdi_arena_calloc(a, vdi_mul_size(vdi_mul_size(rows, cols), vdi_dtype_size(dtype)));
}

/* Where the next tensor stands, on a line of its own; SIZE_MAX where there is no number for
 * that. */
VDI__FN size_t vdi__mlp_after(size_t at, size_t elements, size_t line) {
    const size_t end = vdi_add_size(at, elements);
    return end > SIZE_MAX - line ? SIZE_MAX : (end + line - 1) / line * line;
}

/* The shape alone; total is SIZE_MAX where it does not fit into memory. */
VDI__FN void vdi__mlp_init(vdi__mlp *n, vdi_dtype dtype, int64_t in, int hidden_layers,
                           const int64_t *hidden, int64_t out) {
    const size_t line = VDI_ALIGN / vdi_dtype_size(dtype);
    memset(n, 0, sizeof *n);
    n->dtype = dtype;
    n->layers = hidden_layers + 1;
    n->width[0] = (size_t)in;
    for (int l = 0; l < hidden_layers; l++)
        n->width[l + 1] = (size_t)hidden[l];
    n->width[n->layers] = (size_t)out;
    for (int l = 0; l < n->layers; l++) {
        n->trunk = n->total;
        n->weight[l] = n->total;
        n->total = vdi__mlp_after(n->total, vdi_mul_size(n->width[l], n->width[l + 1]), line);
        n->bias[l] = n->total;
        n->total = vdi__mlp_after(n->total, n->width[l + 1], line);
        n->slices += (int)((n->width[l] + vdi__mlp_slice_rows(n->width[l]) - 1) /
                           vdi__mlp_slice_rows(n->width[l]));
    }
}

/* Weights and biases uniform on +-1/sqrt(fan in), the last layer times `last`. */
VDI__FN void vdi__mlp_draw(const vdi__mlp *n, void *block, vdi_rng *rng, double last) {
    for (int l = 0; l < n->layers; l++) {
        double scale = (l == n->layers - 1 ? last : 1) / sqrt((double)n->width[l]);
        for (size_t i = 0; i < n->width[l] * n->width[l + 1]; i++)
            vdi__store(n->dtype, block, n->weight[l] + i, scale * (2 * vdi_rng_uniform(rng) - 1));
        for (size_t i = 0; i < n->width[l + 1]; i++)
            vdi__store(n->dtype, block, n->bias[l] + i, scale * (2 * vdi_rng_uniform(rng) - 1));
    }
}

/* h[l] (rows, width[l+1]) from x; h[layers-1] is the output. */
VDI__FN void vdi__mlp_forward(const vdi__mlp *n, const void *block, size_t rows, const void *x,
                              size_t ldx, void *const *h) {
    for (int l = 0; l < n->layers; l++) {
        vdi_affine(n->dtype, rows, n->width[l + 1], n->width[l], l ? h[l - 1] : x,
                   l ? n->width[l] : ldx, vdi__part(n->dtype, block, n->weight[l]), n->width[l + 1],
                   vdi__part(n->dtype, block, n->bias[l]),
                   l == n->layers - 1 ? VDI_ACT_NONE : VDI_ACT_RELU, 0, h[l], n->width[l + 1]);
    }
}

/* From dz[top] (rows, width[top+1]), the cotangent before the activation of layer `top`, to those
 * of the layers below it. */
VDI__FN void vdi__mlp_backward(const vdi__mlp *n, const void *block, int top, size_t rows,
                               void *const *h, void *const *dz) {
    for (int l = top; l > 0; l--) {
        vdi_gemm(n->dtype, VDI_GEMM_TB, rows, n->width[l], n->width[l + 1], dz[l], n->width[l + 1],
                 vdi__part(n->dtype, block, n->weight[l]), n->width[l + 1], dz[l - 1], n->width[l]);
        vdi_act_grad(n->dtype, VDI_ACT_RELU, 0, rows * n->width[l], h[l - 1], dz[l - 1], dz[l - 1]);
    }
}

/* The cotangent of inputs first ... first+cols-1 from dz[0], into dx (rows, cols). */
VDI__FN void vdi__mlp_input_grad(const vdi__mlp *n, const void *block, size_t rows, size_t first,
                                 size_t cols, const void *dz0, void *dx) {
    vdi_gemm(n->dtype, VDI_GEMM_TB, rows, cols, n->width[1], dz0, n->width[1],
             vdi__part(n->dtype, block, n->weight[0] + first * n->width[1]), n->width[1], dx, cols);
}

/* ---- learning -------------------------------------------------------------------------------- */

/* A net that learns: its blocks, and the activations of a batch. */
typedef struct vdi__learner {
    const vdi__mlp *net;
    void *value, *grad, *m, *v, *target; /* target may be NULL */
    const void *x;                       /* (batch, ldx) inputs */
    size_t ldx;
    void *h[VDI__MLP_LAYERS], *dz[VDI__MLP_LAYERS];    /* (batch, width[l+1]) */
    double squares[VDI__MLP_LAYERS * VDI__MLP_SLICES]; /* of the gradient, slice by slice */
} vdi__learner;

/* Adam's constants of one step, bias corrections folded in. */
typedef struct vdi__adam {
    double step, beta1, beta2, eps, tau;
} vdi__adam;

VDI__FN vdi__adam vdi__adam_at(double rate, double beta1, double beta2, double eps, int64_t step,
                               double tau) {
    vdi__adam a;
    double root = sqrt(1 - pow(beta2, (double)step));
    a.step = rate * root / (1 - pow(beta1, (double)step));
    a.beta1 = beta1;
    a.beta2 = beta2;
    a.eps = eps * root;
    a.tau = tau;
    return a;
}

/* How far Adam can carry a parameter in one step, in units of the rate: |m|/sqrt(v) <=
   (1-b1)/sqrt((1-b2)(1-b1^2/b2)). It does not depend on the gradient: where every gradient is
   finite, no step can leave the finite numbers, and a step need not be undone. */
VDI__FN bool vdi__adam_safe(double rate, double beta1, double beta2) {
    return beta1 * beta1 < beta2 && rate < 1e6;
}

/* The blocks of one learner, and h and dz of a batch; false when memory is out. */
VDI__FN bool vdi__learner_init(vdi__learner *e, const vdi__mlp *n, vdi_arena *a, size_t batch,
                               bool target) {
    const vdi_dtype t = n->dtype;
    memset(e, 0, sizeof *e);
    e->net = n;
    e->value = vdi__mlp_array(a, t, n->total, 1);
    e->grad = vdi__mlp_array(a, t, n->total, 1);
    e->m = vdi__mlp_array(a, t, n->total, 1);
    e->v = vdi__mlp_array(a, t, n->total, 1);
    e->target = target ? vdi__mlp_array(a, t, n->total, 1) : NULL;
    bool ok = e->value && e->grad && e->m && e->v && (e->target || !target);
    for (int l = 0; l < n->layers; l++) {
        e->h[l] = vdi__mlp_array(a, t, batch, n->width[l + 1]);
        e->dz[l] = vdi__mlp_array(a, t, batch, n->width[l + 1]);
        ok = ok && e->h[l] && e->dz[l];
    }
    return ok;
}

/* h and dz of rows `at` onwards. */
VDI__FN void vdi__learner_rows(const vdi__learner *e, size_t at, void **h, void **dz) {
    for (int l = 0; l < e->net->layers; l++) {
        h[l] = vdi__part(e->net->dtype, e->h[l], at * e->net->width[l + 1]);
        dz[l] = vdi__part(e->net->dtype, e->dz[l], at * e->net->width[l + 1]);
    }
}

/* dW of one layer, rows r to r+rows, as one chain over the batch. */
VDI__FN void vdi__mlp_weight_grad(const vdi__mlp *n, int l, size_t r, size_t rows, size_t batch,
                                  const void *in, size_t ldin, const void *dz, void *grad) {
    vdi_gemm(n->dtype, VDI_GEMM_TA, rows, n->width[l + 1], batch, vdi__part(n->dtype, in, r), ldin,
             dz, n->width[l + 1], vdi__part(n->dtype, grad, n->weight[l] + r * n->width[l + 1]),
             n->width[l + 1]);
}

/* Job `slice` of the net's: part of one layer's gradient, and the sum of its squares. */
VDI__FN void vdi__learner_grad(vdi__learner *e, size_t batch, int slice) {
    const vdi__mlp *n = e->net;
    int l = 0, k = slice;
    size_t each = vdi__mlp_slice_rows(n->width[0]);
    while ((size_t)k * each >= n->width[l]) {
        k -= (int)((n->width[l] + each - 1) / each);
        each = vdi__mlp_slice_rows(n->width[++l]);
    }
    const size_t r = (size_t)k * each;
    const size_t rows = VDI__MIN(each, n->width[l] - r);
    const size_t out = n->width[l + 1];
    vdi__mlp_weight_grad(n, l, r, rows, batch, l ? e->h[l - 1] : e->x, l ? n->width[l] : e->ldx,
                         e->dz[l], e->grad);
    const void *g = vdi__part(n->dtype, e->grad, n->weight[l] + r * out);
    double s = vdi_dot(n->dtype, rows * out, g, g);
    if (k == 0) {
        void *b = vdi__part(n->dtype, e->grad, n->bias[l]);
        vdi_sum_rows(n->dtype, batch, out, e->dz[l], out, false, b);
        s += vdi_dot(n->dtype, out, b, b);
    }
    e->squares[slice] = s;
}

VDI__FN double vdi__learner_squares(const vdi__learner *e) {
    double s = 0;
    for (int i = 0; i < e->net->slices; i++)
        s += e->squares[i];
    return s;
}

VDI__FN int vdi__learner_pieces(const vdi__learner *e) {
    return (int)((e->net->total + VDI__MLP_PIECE - 1) / VDI__MLP_PIECE);
}

/* Job `piece`: Adam on a part of the block, and the target's share of it. */
VDI__FN void vdi__learner_step(vdi__learner *e, const vdi__adam *a, int piece) {
    const vdi_dtype t = e->net->dtype;
    const size_t end = VDI__MIN(((size_t)piece + 1) * VDI__MLP_PIECE, e->net->total);
    for (size_t at = (size_t)piece * VDI__MLP_PIECE; at < end; at += VDI__MLP_STRIP) {
        const size_t n = VDI__MIN((size_t)VDI__MLP_STRIP, end - at);
        void *w = vdi__part(t, e->value, at);
        vdi_adam_kernel(t, n, w, vdi__part(t, e->grad, at), vdi__part(t, e->m, at),
                        vdi__part(t, e->v, at), a->step, a->beta1, a->beta2, a->eps, 0, 1);
        if (e->target) vdi_axpby(t, n, a->tau, w, 1 - a->tau, vdi__part(t, e->target, at));
    }
}

/* Are the blocks valid, after somebody could have written to them? */
VDI__FN bool vdi__learner_valid(const vdi__learner *e) {
    const vdi_dtype t = e->net->dtype;
    const size_t n = e->net->total;
    const size_t bad = vdi_count_nonfinite(t, n, e->value) + vdi_count_nonfinite(t, n, e->m) +
                       vdi_count_nonfinite(t, n, e->v) +
                       (e->target ? vdi_count_nonfinite(t, n, e->target) : 0);
    return bad == 0 && vdi_min(t, n, e->v) >= 0;
}

/* ---- names of the state ---------------------------------------------------------------------- */

/* Appends "<prefix>.<layer>.weight" and ".bias" of a block to a list; `names` has room for
 * VDI_PARAM_NAME each. */
VDI__FN void vdi__mlp_state(const vdi__mlp *n, const void *block, const char *prefix,
                            vdi_named_tensor *list, char (*names)[VDI_PARAM_NAME], int64_t *count) {
    for (int l = 0; l < n->layers; l++) {
        for (int bias = 0; bias < 2; bias++) {
            char *name = names[*count];
            (void)vdi_text_format(name, VDI_PARAM_NAME, "%s.%d.%s", prefix, l,
                                  bias ? "bias" : "weight");
            list[*count].name = name;
            if (bias) {
                list[*count].tensor = vdi_tensor_1d(vdi__part(n->dtype, block, n->bias[l]),
                                                    n->dtype, (int64_t)n->width[l + 1]);
            } else {
                list[*count].tensor =
                    vdi_tensor_2d(vdi__part(n->dtype, block, n->weight[l]), n->dtype,
                                  (int64_t)n->width[l], (int64_t)n->width[l + 1]);
            }
            ++*count;
        }
    }
}
#endif
