/* model/vilds/posterior.h - the families of q: from the encoder's output to a block-tridiagonal
 * precision
 *
 * Do this, to build a bound of your own:
 *     vdi_var D, E, k;
 *     bool is_mean;
 *     vdi_var_vilds_precision(t, VDI_VILDS_PRODUCT, encoded, &prior, &info, &D, &E, &k, &is_mean);
 *     vdi_blocktri_var f = vdi_var_blocktri_factor(t, D, E, NULL);
 *
 * A description names its family (vdi_vilds_family), and vilds.h lists them. A family is a row of
 * functions, so another one is one more row here and a line in that list.
 *
 *     product      J = prior's + blockdiag(R_t R_t'),   J m = prior's + h
 *     direct       J = F F' + 1e-6 I,  F_tt = a_t, F_{t+1,t} = b_t,   m as it comes
 *     meanfield    J = blockdiag(R_t R_t') + 1e-6 I,   m as it comes
 */
#ifndef VDI_MODEL_VILDS_POSTERIOR_H
#define VDI_MODEL_VILDS_POSTERIOR_H
#include "prior.h"

/** From the encoder's output, out (B,T,outputs), to D (B,T,d,d), E (B,T-1,d,d) and either the mean
 * (B,T,d) or J times the mean (then *is_mean is false). Outputs: d + d d of a product posterior and
 * of mean field, d + 2 d d of a direct one. The status is the tape's. */
VDI_API vdi_status vdi_var_vilds_precision(vdi_tape *t, vdi_vilds_family family, vdi_var out,
                                           const vdi_lds_vars *p, const vdi_trial_info *info,
                                           vdi_var *D, vdi_var *E, vdi_var *k, bool *is_mean);

#endif /* VDI_MODEL_VILDS_POSTERIOR_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_POSTERIOR_C)
#define VDI_MODEL_VILDS_POSTERIOR_C

/* A Gaussian over all bins of each trial: its precision and either its mean or J times the mean. */
typedef struct vdi__q_blocks {
    vdi_var D, E; /* (B,T,d,d), (B,T-1,d,d) */
    vdi_var k;    /* (B,T,d) */
    bool is_mean;
} vdi__q_blocks;

typedef struct vdi__family {
    /* Outputs of the encoder for each bin. */
    int64_t (*outputs)(int64_t d);
    /* What the encoder's last bias starts with: `bias` (outputs) comes in as 0. */
    void (*start)(int64_t d, double *bias);
    /* out (B,T,outputs); the status is the tape's. */
    vdi__q_blocks (*build)(vdi_tape *t, vdi_var out, const vdi_lds_vars *p,
                           const vdi_trial_info *info);
    bool silent;  /* bins without any observation give no factor: the encoder's output is taken as
                     0 there */
    bool natural; /* the output is a factor (h, R) a bin, so that refinement can work on the natural
                     parameters (h, R R') */
} vdi__family;

VDI__FN vdi__q_blocks vdi__no_blocks(void) {
    vdi__q_blocks q;
    q.D = q.E = q.k = vdi_var_none();
    q.is_mean = false;
    return q;
}

/* ======== product ============================================================================= */

VDI__FN int64_t vdi__product_outputs(int64_t d) { return d + d * d; }
VDI__FN void vdi__product_start(int64_t d, double *bias) {
    for (int64_t i = 0; i < d; i++)
        bias[d + i * d + i] = 0.5;
}

/* The operands of the product and where its gradients go (NULL: not wanted). inputs: out A Qi Q0i
 * x0 [c]; outputs: D k [E]. out holds h (d) and R (d,d) of each bin; with note->has_S R is R R'
 * itself. */
typedef struct vdi__product {
    int64_t d, dd, T;
    const double *out, *A, *Qi, *P0, *x0, *c, *G;
    double *outb, *Ab, *Qb, *Pb, *xb, *cb;
    double *Gb, *Hb, *sum; /* scratch of the way back */
} vdi__product;

VDI__FN vdi__product vdi__product_open(const vdi_custom *c, const vdi__lds_note *n) {
    vdi__product p;
    memset(&p, 0, sizeof p);
    p.d = c->in[1].shape[0];
    p.dd = p.d * p.d;
    p.T = n->T;
    p.out = (const double *)c->in[0].data;
    p.A = (const double *)c->in[1].data;
    p.Qi = (const double *)c->in[2].data;
    p.P0 = (const double *)c->in[3].data;
    p.x0 = (const double *)c->in[4].data;
    p.outb = (double *)c->din[0].data;
    p.Ab = (double *)c->din[1].data;
    p.Qb = (double *)c->din[2].data;
    p.Pb = (double *)c->din[3].data;
    p.xb = (double *)c->din[4].data;
    if (n->has_c) {
        p.c = (const double *)c->in[5].data;
        p.cb = (double *)c->din[5].data;
    }
    p.G = (const double *)c->saved;
    return p;
}

VDI__FN vdi_status vdi__product_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    const vdi__product p = vdi__product_open(c, n);
    const int64_t d = p.d, dd = p.dd, T = p.T;
    double *G = (double *)c->saved, *H = G + dd;
    double *E = T > 1 ? (double *)c->out[2].data : NULL;
    (void)err;
    memset(G, 0, (size_t)(2 * dd) * sizeof *G);
    vdi__vm_mul(d, 1, p.Qi, false, p.A, false, G);
    vdi__vm_mul(d, 1, p.A, true, G, false, H);
    for (int64_t i = 0; i < n->trials * T; i++) {
        const int64_t b = i / T, t = i % T;
        const double *h = p.out + i * (d + dd), *R = h + d;
        const double *P = t ? p.Qi : n->start[b] ? p.P0 : n->mid;
        double *D = (double *)c->out[0].data + i * dd, *k = (double *)c->out[1].data + i * d;
        const bool more = t + 1 < n->length[b];
        for (int64_t j = 0; j < dd; j++)
            D[j] = P[j] + (more ? H[j] : 0);
        if (n->has_S)
            vdi__vm_add(dd, 1, R, D);
        else
            vdi__vm_square(d, R, D);
        memcpy(k, h, (size_t)d * sizeof *k);
        if (!t && n->start[b]) vdi__vm_apply(d, 1, P, false, p.x0, k);
        if (t && p.c) vdi__vm_apply(d, 1, P, false, p.c + i * d, k);
        if (more && p.c) vdi__vm_apply(d, -1, G, true, p.c + (i + 1) * d, k);
        for (int64_t j = 0; t + 1 < T && j < dd; j++)
            E[(b * (T - 1) + t) * dd + j] = -G[j];
    }
    return VDI_OK;
}

/* Trial b: what the cotangent of its diagonal blocks, D (T,d,d), gives back. */
VDI__FN void vdi__product_back_blocks(const vdi__product *p, const vdi__lds_note *n, int64_t b,
                                      const double *D) {
    const int64_t d = p->d, dd = p->dd, length = n->length[b], stride = d + dd;
    const double *R = p->out + b * p->T * stride + d;
    double *to = p->outb ? p->outb + b * p->T * stride + d : NULL;
    if (n->start[b] && p->Pb) vdi__vm_add(dd, 1, D, p->Pb);
    vdi__vm_sum(dd, D, 1, length, p->sum);
    if (p->Qb) vdi__vm_add(dd, 1, p->sum, p->Qb);
    vdi__vm_sum(dd, D, 0, length - 1, p->sum);
    vdi__vm_add(dd, 1, p->sum, p->Hb);
    for (int64_t t = 0; to && t < length; t++) {
        if (n->has_S)
            vdi__vm_add(dd, 1, D + t * dd, to + t * stride);
        else
            vdi__vm_square_back(d, D + t * dd, R + t * stride, to + t * stride);
    }
}

/* Trial b: what the cotangent of its J m, k (T,d), gives back. */
VDI__FN void vdi__product_back_means(const vdi__product *p, const vdi__lds_note *n, int64_t b,
                                     const double *k) {
    const int64_t d = p->d, first = b * p->T, length = n->length[b], stride = d + p->dd;
    double *to = p->outb ? p->outb + first * stride : NULL;
    for (int64_t t = 0; to && t < length; t++) {
        for (int64_t j = 0; j < d; j++)
            to[t * stride + j] += k[t * d + j];
    }
    if (n->start[b] && p->Pb) vdi__vm_outer(d, 1, k, p->x0, p->Pb);
    if (n->start[b] && p->xb) vdi__vm_apply(d, 1, p->P0, true, k, p->xb);
    for (int64_t t = 1; p->c && t < length; t++) { /* k_t has Qi c_t, k_{t-1} has -G'c_t */
        const double *c = p->c + (first + t) * d, *here = k + t * d, *before = here - d;
        if (p->Qb) vdi__vm_outer(d, 1, here, c, p->Qb);
        vdi__vm_outer(d, -1, c, before, p->Gb);
        if (!p->cb) continue;
        vdi__vm_apply(d, 1, p->Qi, true, here, p->cb + (first + t) * d);
        vdi__vm_apply(d, -1, p->G, false, before, p->cb + (first + t) * d);
    }
}

VDI__FN vdi_status vdi__product_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    vdi__product p = vdi__product_open(c, n);
    const int64_t dd = p.dd, T = p.T;
    const double *D = (const double *)c->dout[0].data, *k = (const double *)c->dout[1].data;
    const double *E = T > 1 ? (const double *)c->dout[2].data : NULL;
    p.Gb = (double *)vdi_tape_scratch(c->tape, (size_t)(3 * dd) * sizeof(double));
    (void)err;
    if (!p.Gb) return VDI_OK;
    p.Hb = p.Gb + dd;
    p.sum = p.Hb + dd;
    memset(p.Gb, 0, (size_t)(2 * dd) * sizeof *p.Gb);
    for (int64_t b = 0; b < n->trials; b++) {
        if (D) vdi__product_back_blocks(&p, n, b, D + b * T * dd);
        if (k) vdi__product_back_means(&p, n, b, k + b * T * p.d);
        if (!E) continue;
        vdi__vm_sum(dd, E + b * (T - 1) * dd, 0, n->length[b] - 1, p.sum);
        vdi__vm_add(dd, -1, p.sum, p.Gb);
    }
    vdi__lds_roots_back(p.d, p.A, p.Qi, p.G, p.Gb, p.Hb, p.Ab, p.Qb);
    return VDI_OK;
}

/* From factors (h, R) of each bin or, with `natural`, from (h, R R'). */
VDI__FN vdi__q_blocks vdi__product_of(vdi_tape *t, vdi_var out, const vdi_lds_vars *p,
                                      const vdi_trial_info *info, bool natural) {
    static const char where[] = "vdi_vilds_product";
    const int64_t d = vdi_var_dim(t, p->A, 0), B = info->trials, T = info->T;
    vdi__q_blocks q = vdi__no_blocks();
    vdi_custom_desc desc = VDI__ZERO;
    vdi_var in[6], r[3];
    vdi_tensor shape[3];
    if (d < 1) return q;
    vdi__lds_note *note = vdi__lds_remember(t, where, info, p->mid, d);
    if (!note) return q;
    note->has_S = natural;
    note->has_c = vdi_var_ok(p->c);
    in[0] = out;
    in[1] = p->A;
    in[2] = p->Qi;
    in[3] = p->Q0i;
    in[4] = p->x0;
    in[5] = p->c;
    shape[0] = vdi_tensor_4d(NULL, VDI_F64, B, T, d, d);
    shape[1] = vdi_tensor_3d(NULL, VDI_F64, B, T, d);
    shape[2] = vdi_tensor_4d(NULL, VDI_F64, B, T - 1, d, d);
    r[0] = r[1] = r[2] = vdi_var_none();
    desc.name = where;
    desc.inputs = note->has_c ? 6 : 5;
    desc.outputs = T > 1 ? 3 : 2;
    desc.input = in;
    desc.output = shape;
    desc.user = note;
    desc.saved_bytes = (size_t)(2 * d * d) * sizeof(double);
    desc.scratch_bytes = (size_t)(3 * d * d) * sizeof(double);
    desc.forward = vdi__product_forward;
    desc.backward = vdi__product_backward;
    (void)vdi_var_custom(t, &desc, r);
    q.D = r[0];
    q.k = r[1];
    q.E = r[2];
    return q;
}

VDI__FN vdi__q_blocks vdi__product_build(vdi_tape *t, vdi_var out, const vdi_lds_vars *p,
                                         const vdi_trial_info *info) {
    return vdi__product_of(t, out, p, info, false);
}

static const vdi__family vdi__family_product = {vdi__product_outputs, vdi__product_start,
                                                vdi__product_build, true, true};

/* ======== direct ============================================================================== */

VDI__FN int64_t vdi__direct_outputs(int64_t d) { return d + 2 * d * d; }
/* exp 0 = 1: all is white */
VDI__FN void vdi__unit_start(int64_t d, double *bias) {
    (void)d;
    (void)bias;
}

/* out columns [from, from + d d) as (B,T,d,d) */
VDI__FN vdi_var vdi__block_of(vdi_tape *t, vdi_var out, int64_t from, int64_t d,
                              const vdi_trial_info *info) {
    int64_t shape[4];
    shape[0] = info->trials;
    shape[1] = info->T;
    shape[2] = shape[3] = d;
    return vdi_var_reshape(t, vdi_var_slice(t, out, 2, from, 1, d * d), 4, shape);
}

/* The same columns as a lower triangular factor with a positive diagonal: below it as they come, on
 * it exp, above it unread. Every precision has exactly one such factor; a full matrix for it would
 * go through singular ones wherever an eigenvalue changes its sign, and a bin there has a variance
 * without bounds. */
VDI__FN vdi_var vdi__factor_of(vdi_tape *t, vdi_var out, int64_t from, int64_t d,
                               const vdi_trial_info *info) {
    double *eye = (double *)vdi__tape_payload(t, "vdi_vilds", (size_t)(2 * d * d) * sizeof *eye);
    if (!eye) return vdi_var_none();
    double *low = eye + d * d;
    for (int64_t i = 0; i < d * d; i++) {
        eye[i] = i / d == i % d;
        low[i] = i / d > i % d;
    }
    vdi_var x = vdi__block_of(t, out, from, d, info);
    vdi_var one = vdi_tape_constant(t, vdi_tensor_2d(eye, VDI_F64, d, d));
    vdi_var diagonal = vdi_var_mul(t, vdi_var_exp(t, vdi_var_mul(t, x, one)), one);
    vdi_var below = vdi_tape_constant(t, vdi_tensor_2d(low, VDI_F64, d, d));
    return vdi_var_add(t, vdi_var_mul(t, x, below), diagonal);
}

/* c I added to each block */
VDI__FN vdi_var vdi__add_identity(vdi_tape *t, vdi_var D, int64_t d, double c) {
    double *eye = (double *)vdi__tape_payload(t, "vdi_vilds", (size_t)(d * d) * sizeof *eye);
    if (!eye) return vdi_var_none();
    for (int64_t i = 0; i < d * d; i++)
        eye[i] = i / d == i % d ? c : 0;
    return vdi_var_add(t, D, vdi_tape_constant(t, vdi_tensor_2d(eye, VDI_F64, d, d)));
}

/* (trials,bins,d,d) of zeros */
VDI__FN vdi_var vdi__zero_blocks(vdi_tape *t, int64_t trials, int64_t bins, int64_t d) {
    int64_t shape[4];
    shape[0] = trials;
    shape[1] = bins;
    shape[2] = shape[3] = d;
    vdi_tensor zero = vdi_tape_value(t, vdi_tape_full(t, 0, NULL, 0));
    return vdi_tape_constant_copy(t, vdi_tensor_broadcast_to(zero, 4, shape), VDI_F64);
}

/* D_t = a_t a_t' + b_{t-1} b_{t-1}' + 1e-6 I,   E_t = b_t a_t' */
VDI__FN vdi__q_blocks vdi__direct_build(vdi_tape *t, vdi_var out, const vdi_lds_vars *p,
                                        const vdi_trial_info *info) {
    const int64_t d = vdi_var_dim(t, p->A, 0), T = info->T;
    vdi__q_blocks q = vdi__no_blocks();
    q.is_mean = true;
    if (d < 1) return q;
    q.k = vdi_var_slice(t, out, 2, 0, 1, d);
    vdi_var a = vdi__factor_of(t, out, d, d, info);
    q.D = vdi_var_matmul(t, a, a, VDI_GEMM_TB);
    if (T > 1) {
        vdi_var parts[2];
        vdi_var b = vdi_var_slice(t, vdi__block_of(t, out, d + d * d, d, info), 1, 0, 1, T - 1);
        parts[0] = vdi__zero_blocks(t, info->trials, 1, d);
        parts[1] = vdi_var_matmul(t, b, b, VDI_GEMM_TB);
        q.D = vdi_var_add(t, q.D, vdi_var_concat(t, parts, 2, 1));
        q.E = vdi_var_matmul(t, b, vdi_var_slice(t, a, 1, 0, 1, T - 1), VDI_GEMM_TB);
    }
    q.D = vdi__add_identity(t, q.D, d, 1e-6);
    return q;
}

static const vdi__family vdi__family_direct = {vdi__direct_outputs, vdi__unit_start,
                                               vdi__direct_build, false, false};

/* ======== mean field ========================================================================== */

VDI__FN int64_t vdi__meanfield_outputs(int64_t d) { return d + d * d; }

VDI__FN vdi__q_blocks vdi__meanfield_build(vdi_tape *t, vdi_var out, const vdi_lds_vars *p,
                                           const vdi_trial_info *info) {
    const int64_t d = vdi_var_dim(t, p->A, 0);
    vdi__q_blocks q = vdi__no_blocks();
    q.is_mean = true;
    if (d < 1) return q;
    q.k = vdi_var_slice(t, out, 2, 0, 1, d);
    vdi_var r = vdi__factor_of(t, out, d, d, info);
    q.D = vdi__add_identity(t, vdi_var_matmul(t, r, r, VDI_GEMM_TB), d, 1e-6);
    if (info->T > 1) q.E = vdi__zero_blocks(t, info->trials, info->T - 1, d);
    return q;
}

static const vdi__family vdi__family_meanfield = {vdi__meanfield_outputs, vdi__unit_start,
                                                  vdi__meanfield_build, false, false};

/* ======== the table =========================================================================== */

#define VDI__FAMILY_FUNCTIONS(enumerator, name, functions) &vdi__family_##functions,
VDI__FN const vdi__family *vdi__family_of(vdi_vilds_family kind) {
    static const vdi__family *const family[] = {VDI_VILDS_FAMILIES(VDI__FAMILY_FUNCTIONS)};
    return (size_t)kind < VDI__COUNT(family) ? family[kind] : NULL;
}

VDI__DEF vdi_status vdi_var_vilds_precision(vdi_tape *t, vdi_vilds_family family, vdi_var out,
                                            const vdi_lds_vars *p, const vdi_trial_info *info,
                                            vdi_var *D, vdi_var *E, vdi_var *k, bool *is_mean) {
    const vdi__q_blocks q = vdi__family_of(family)->build(t, out, p, info);
    *D = q.D;
    *E = q.E;
    *k = q.k;
    *is_mean = q.is_mean;
    return vdi_tape_status(t, NULL);
}
#endif
