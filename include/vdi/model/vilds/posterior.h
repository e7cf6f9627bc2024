/* model/vilds/posterior.h - what an ELBO is made of: the prior, the families of q, the observation
 * parts, as operations of the tape
 *
 * Do this:
 *     vdi_var Qi, ld;
 *     vdi_var_precision_root(t, q, &Qi, &ld);   Q^{-1} and its log determinant from free parameters
 *     vdi_var e = vdi_var_lds_energy(t, &prior, z, none, none, &info);   E[-2 log p(z)]
 *
 * For those who write a log p(y, z) of their own: the same prior that the ready parts use. The
 * equations: docs/guide/vilds.md. Everything here is float64 and O(T d^3); shapes are checked by
 * the model, not again.
 * A family of q is a struct of functions (vdi_vilds_family_ops): a fourth one is one more of them.
 */
#ifndef VDI_MODEL_VILDS_POSTERIOR_H
#define VDI_MODEL_VILDS_POSTERIOR_H
#include "vilds.h"

/** The linear dynamical prior on a tape, all float64. */
typedef struct vdi_lds_vars {
    vdi_var A, Qi, Q0i; /**< (d,d): transition, inverse covariances */
    vdi_var x0;         /**< (d) */
    vdi_var c;          /**< (B,T,d): what the inputs add to each transition, or the null
                             variable */
    vdi_var g;
    /**< (S,B,T,d): what a nonlinear transition adds to the step *after* each bin of samples z, or
         the null variable; read where the energy is one of samples */
    vdi_var ld, ld0; /**< log det Q^{-1}, log det Q0^{-1}: scalars */
    const double *mid;
    /**< (d,d) inverse stationary covariance, for windows in the middle of a trial, and its log
         determinant behind it; or NULL: all trials start at their beginning */
} vdi_lds_vars;

/** Q^{-1} = U' diag(exp 2w) U from q (d,d): w its diagonal, U unit lower triangular from the
 * entries below; the rest is not read. */
VDI_API vdi_status vdi_var_precision_root(vdi_tape *t, vdi_var q, vdi_var *inverse,
                                          vdi_var *log_det);
/** For each trial (or sample and trial): E[(z_1-x0)'Q0^{-1}(z_1-x0) + sum_t (z_t - A z_{t-1} -
 * c_t)'Q^{-1}(...)], z ~ N(m, S) with lag
 *  blocks O. m (B,T,d) or (S,B,T,d), then S and O null: the energy of samples, less g_{t-1} in each
 *  step. Result (B) or (S,B). */
VDI_API vdi_var vdi_var_lds_energy(vdi_tape *t, const vdi_lds_vars *p, vdi_var m, vdi_var S,
                                   vdi_var O, const vdi_trial_info *info);
/** log p(z) of samples z (S,B,T,d): (S,B), with all constants. */
VDI_API vdi_var vdi_var_lds_log_prob(vdi_tape *t, const vdi_lds_vars *p, vdi_var z,
                                     const vdi_trial_info *info);

/** A family of Gaussian posteriors: from the encoder's output to a block-tridiagonal precision. */
typedef struct vdi_vilds_family_ops {
    const char *name; /**< as in the metadata of a saved model */
    /** Outputs of the encoder for each bin. */
    int64_t (*outputs)(int64_t d);
    /** What the encoder's last bias starts with: `bias` (outputs) comes in as 0. */
    void (*start)(int64_t d, double *bias);
    /** out (B,T,outputs) to D (B,T,d,d), E (B,T-1,d,d) and either the mean (B,T,d) or J times the
     * mean (then *is_mean is false). */
    vdi_status (*build)(vdi_tape *t, vdi_var out, const vdi_lds_vars *p, const vdi_trial_info *info,
                        vdi_var *D, vdi_var *E, vdi_var *mean, bool *is_mean);
    bool silent; /**< bins without any observation give no factor: the encoder's output is taken as
                      0 there */
} vdi_vilds_family_ops;
/** The family of that kind. */
VDI_API const vdi_vilds_family_ops *vdi_vilds_family_of(vdi_vilds_family kind);

#endif /* VDI_MODEL_VILDS_POSTERIOR_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_POSTERIOR_C)
#define VDI_MODEL_VILDS_POSTERIOR_C

/* ======== small matrices ====================================================================== */

#if VDI__GNU && !defined(__clang__)
#define VDI__VM_UNROLL _Pragma("GCC unroll 4")
#else
/* clang unrolls constant loops by itself, and would complain about the others */
#define VDI__VM_UNROLL
#endif
/* f(d, ...) with d a constant where it is small: these run once a bin. */
#define VDI__VM_SIZES(d, f, ...)      \
    switch (d) {                      \
    case 1: f(1, __VA_ARGS__); break; \
    case 2: f(2, __VA_ARGS__); break; \
    case 3: f(3, __VA_ARGS__); break; \
    case 4: f(4, __VA_ARGS__); break; \
    default: f(d, __VA_ARGS__);       \
    }

/* c += s op(a) op(b), (d,d) each. */
VDI__FN void vdi__vm_mul(int64_t d, double s, const double *a, bool ta, const double *b, bool tb,
                         double *c) {
    for (int64_t i = 0; i < d; i++) {
        for (int64_t k = 0; k < d; k++) {
            double x = s * (ta ? a[k * d + i] : a[i * d + k]);
            for (int64_t j = 0; j < d; j++)
                c[i * d + j] += x * (tb ? b[j * d + k] : b[k * d + j]);
        }
    }
}
/* c += a a', a (d,d) */
VDI__INLINE void vdi__vm_square_body(int64_t d, const double *a, double *c) {
    VDI__VM_UNROLL for (int64_t i = 0; i < d; i++) {
        VDI__VM_UNROLL for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            VDI__VM_UNROLL for (int64_t k = 0; k < d; k++) sum += a[i * d + k] * a[j * d + k];
            c[i * d + j] += sum;
            if (j < i) c[j * d + i] += sum;
        }
    }
}
VDI__FN void vdi__vm_square(int64_t d, const double *a,
                            double *c){VDI__VM_SIZES(d, vdi__vm_square_body, a, c)}
/* c += (g + g') a: what a' bar g of c = a a' comes to */
VDI__INLINE void vdi__vm_square_back_body(int64_t d, const double *g, const double *a, double *c) {
    VDI__VM_UNROLL for (int64_t i = 0; i < d; i++) {
        VDI__VM_UNROLL for (int64_t k = 0; k < d; k++) {
            const double x = g[i * d + k] + g[k * d + i];
            VDI__VM_UNROLL for (int64_t j = 0; j < d; j++) c[i * d + j] += x * a[k * d + j];
        }
    }
}
VDI__FN void vdi__vm_square_back(int64_t d, const double *g, const double *a, double *c){
    VDI__VM_SIZES(d, vdi__vm_square_back_body, g, a, c)} /* y += s op(a) x */
VDI__FN
    void vdi__vm_apply(int64_t d, double s, const double *a, bool ta, const double *x, double *y) {
    for (int64_t i = 0; i < d; i++) {
        double sum = 0;
        for (int64_t j = 0; j < d; j++)
            sum += (ta ? a[j * d + i] : a[i * d + j]) * x[j];
        y[i] += s * sum;
    }
}
/* a += s x y' */
VDI__FN void vdi__vm_outer(int64_t d, double s, const double *x, const double *y, double *a) {
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = 0; j < d; j++)
            a[i * d + j] += s * x[i] * y[j];
    }
}
VDI__FN void vdi__vm_add(int64_t n, double s, const double *x, double *y) {
    for (int64_t i = 0; i < n; i++)
        y[i] += s * x[i];
}
VDI__FN double vdi__vm_dot(int64_t n, const double *x, const double *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* The longest eigenvalue, from the norm of a high power: A^(2^k) scaled at every squaring. `work`
 * (2 d d). */
VDI__FN double vdi__vm_radius(int64_t d, const double *a, double *work) {
    double *p = work;
    double *q = work + d * d;
    double log_norm = 0;
    double weight = 1;
    memcpy(p, a, (size_t)(d * d) * sizeof *p);
    for (int k = 0; k < 24; k++) {
        double norm = sqrt(vdi__vm_dot(d * d, p, p));
        if (!(norm > 0)) return norm == 0 ? 0 : (double)NAN;
        log_norm += log(norm) * weight;
        for (int64_t i = 0; i < d * d; i++) {
            p[i] /= norm;
            q[i] = 0;
        }
        vdi__vm_mul(d, 1, p, false, p, false, q);
        double *swap = p;
        p = q;
        q = swap;
        weight *= 0.5;
    }
    return exp(log_norm);
}

/* P = A P A' + Q by doubling; A has to be stable. `work` (3 d d). */
VDI__FN void vdi__vm_stationary(int64_t d, const double *A, const double *Q, double *P,
                                double *work) {
    size_t bytes = (size_t)(d * d) * sizeof *P;
    double *a = work, *b = work + d * d, *c = work + 2 * d * d;
    memcpy(P, Q, bytes);
    memcpy(a, A, bytes);
    for (int k = 0; k < 40; k++) {
        memset(b, 0, bytes);
        vdi__vm_mul(d, 1, a, false, P, false, b);
        memset(c, 0, bytes);
        vdi__vm_mul(d, 1, b, false, a, true, c);
        double grew = 0, size = 0;
        for (int64_t i = 0; i < d * d; i++) {
            grew = VDI__MAX(grew, fabs(c[i]));
            size = VDI__MAX(size, fabs(P[i]));
        }
        vdi__vm_add(d * d, 1, c, P);
        if (!(grew > 1e-16 * size)) return;
        memset(b, 0, bytes);
        vdi__vm_mul(d, 1, a, false, a, false, b);
        memcpy(a, b, bytes);
    }
}

/* V = diag(exp w) U of a precision V'V, from its parameters. */
VDI__FN void vdi__precision_v(int64_t d, const double *q, double *v) {
    for (int64_t i = 0; i < d; i++) {
        double e = exp(q[i * d + i]);
        for (int64_t j = 0; j < d; j++)
            v[i * d + j] = j < i ? e * q[i * d + j] : j == i ? e : 0;
    }
}

/* The parameters q of the precision of a covariance: V'V = cov^{-1}, so V^{-1} V^{-T} = cov, and
 * V^{-1} is its Cholesky factor. `work` (d,d). */
VDI__FN vdi_status vdi__precision_parameters(int64_t d, const double *cov, double *q, double *work,
                                             vdi_error *err) {
    memcpy(work, cov, (size_t)(d * d) * sizeof *q);
    vdi_status status = vdi_cholesky(VDI_F64, (size_t)d, work, (size_t)d, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < d * d; i++)
        q[i] = i / d == i % d;
    /* q = V */
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, (size_t)d, (size_t)d, work, (size_t)d, q, (size_t)d);
    for (int64_t i = 0; i < d; i++) {
        double e = q[i * d + i];
        for (int64_t j = 0; j < i; j++)
            q[i * d + j] /= e;
        q[i * d + i] = log(e);
    }
    return VDI_OK;
}
/* And back: cov = V^{-1} V^{-T}. */
VDI__FN void vdi__precision_covariance(int64_t d, const double *q, double *cov, double *work) {
    vdi__precision_v(d, q, work);
    for (int64_t i = 0; i < d * d; i++)
        cov[i] = i / d == i % d;
    /* cov = V^{-1} = L */
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, (size_t)d, (size_t)d, work, (size_t)d, cov, (size_t)d);
    memcpy(work, cov, (size_t)(d * d) * sizeof *cov);
    memset(cov, 0, (size_t)(d * d) * sizeof *cov);
    vdi__vm_mul(d, 1, work, false, work, true, cov);
}

/* ======== the precision of a covariance ======================================================= */

VDI__FN vdi_status vdi__root_forward(vdi_custom *c, void *user, vdi_error *err) {
    int64_t d = c->in[0].shape[0];
    const double *q = (const double *)c->in[0].data;
    double *v = (double *)c->saved;
    double *inverse = (double *)c->out[0].data;
    double *ld = (double *)c->out[1].data;
    (void)user;
    (void)err;
    vdi__precision_v(d, q, v);
    memset(inverse, 0, (size_t)(d * d) * sizeof *inverse);
    vdi__vm_mul(d, 1, v, true, v, false, inverse);
    *ld = 0;
    for (int64_t i = 0; i < d; i++)
        *ld += 2 * q[i * d + i];
    return VDI_OK;
}
VDI__FN vdi_status vdi__root_backward(vdi_custom *c, void *user, vdi_error *err) {
    int64_t d = c->in[0].shape[0];
    const double *v = (const double *)c->saved;
    double *dq = (double *)c->din[0].data;
    (void)user;
    (void)err;
    if (!dq) return VDI_OK;
    if (c->dout[1].data) {
        for (int64_t i = 0; i < d; i++)
            dq[i * d + i] += 2 * *(const double *)c->dout[1].data;
    }
    const double *g = (const double *)c->dout[0].data;
    if (!g) return VDI_OK;
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double bar = 0; /* V (g + g') */
            for (int64_t k = 0; k <= i; k++)
                bar += v[i * d + k] * (g[k * d + j] + g[j * d + k]);
            if (j < i) dq[i * d + j] += v[i * d + i] * bar;
            dq[i * d + i] += bar * v[i * d + j];
        }
    }
    return VDI_OK;
}
VDI__DEF vdi_status vdi_var_precision_root(vdi_tape *t, vdi_var q, vdi_var *inverse,
                                           vdi_var *log_det) {
    int64_t d = vdi_var_dim(t, q, 0);
    vdi_custom_desc desc = VDI__ZERO;
    vdi_tensor out[2];
    vdi_var r[2];
    r[0] = r[1] = *inverse = *log_det = vdi_var_none();
    if (d < 1) return vdi_tape_status(t, NULL);
    out[0] = vdi_tensor_2d(NULL, VDI_F64, d, d);
    out[1] = vdi_tensor_view(NULL, VDI_F64, 0, NULL);
    desc.name = "vdi_var_precision_root";
    desc.inputs = 1;
    desc.outputs = 2;
    desc.input = &q;
    desc.output = out;
    desc.saved_bytes = (size_t)(d * d) * sizeof(double);
    desc.forward = vdi__root_forward;
    desc.backward = vdi__root_backward;
    vdi_status status = vdi_var_custom(t, &desc, r);
    *inverse = r[0];
    *log_det = r[1];
    return status;
}

/* ======== the energy of the prior ============================================================= */

/* What the operations over trials remember of them. */
typedef struct vdi__lds_note {
    int64_t samples, trials, T;
    const int64_t *length;
    const bool *start;
    const double *mid;
    bool has_S, has_c, has_g;
} vdi__lds_note;

VDI__FN vdi__lds_note *vdi__lds_remember(vdi_tape *t, const char *where, const vdi_trial_info *info,
                                         const double *mid, int64_t d) {
    size_t b = (size_t)info->trials, numbers = mid ? (size_t)(d * d + 1) * sizeof *mid : 0;
    char *mem = (char *)vdi__tape_payload(
        t, where, sizeof(vdi__lds_note) + numbers + b * (sizeof(int64_t) + sizeof(bool)));
    if (!mem) return NULL;
    vdi__lds_note *note = (vdi__lds_note *)(void *)mem;
    memset(note, 0, sizeof *note);
    mem += sizeof *note;
    note->trials = info->trials;
    note->T = info->T;
    note->samples = info->samples;
    if (mid) note->mid = (const double *)memcpy(mem, mid, numbers);
    mem += numbers;
    note->length = (const int64_t *)memcpy(mem, info->length, b * sizeof(int64_t));
    mem += b * sizeof(int64_t);
    note->start = (const bool *)memcpy(mem, info->start, b * sizeof(bool));
    return note;
}

/* The operands of the energy, and where its gradients go (NULL: not wanted). inputs: m A Qi Q0i x0
 * [S O] [c] [g] */
typedef struct vdi__energy {
    int64_t d, dd, T, items;
    const double *m, *A, *Qi, *P0, *x0, *S, *O, *c, *g;
    double *mb, *Ab, *Qb, *Pb, *xb, *Sb, *Ob, *cb, *gb;
    double *G, *H, *r, *w; /* saved: Qi A, A'Qi A, residuals and precision times residuals
                              (items,T,d) */
} vdi__energy;
VDI__FN vdi__energy vdi__energy_open(const vdi_custom *c, const vdi__lds_note *n) {
    vdi__energy e;
    const double *in[VDI_CUSTOM_MAX];
    double *bar[VDI_CUSTOM_MAX];
    int at = 5, inputs = 5 + (n->has_S ? n->T > 1 ? 2 : 1 : 0) + n->has_c + n->has_g;
    memset(&e, 0, sizeof e);
    for (int i = 0; i < inputs; i++) {
        in[i] = (const double *)c->in[i].data;
        bar[i] = (double *)c->din[i].data;
    }
    e.d = c->in[1].shape[0];
    e.dd = e.d * e.d;
    e.T = n->T;
    e.items = vdi_tensor_count(c->out[0]);
    e.m = in[0];
    e.A = in[1];
    e.Qi = in[2];
    e.P0 = in[3];
    e.x0 = in[4];
    e.mb = bar[0];
    e.Ab = bar[1];
    e.Qb = bar[2];
    e.Pb = bar[3];
    e.xb = bar[4];
    if (n->has_S) {
        e.S = in[at];
        e.Sb = bar[at++];
    }
    if (n->has_S && n->T > 1) {
        e.O = in[at];
        e.Ob = bar[at++];
    }
    if (n->has_c) {
        e.c = in[at];
        e.cb = bar[at++];
    }
    if (n->has_g) {
        e.g = in[at];
        e.gb = bar[at++];
    }
    e.G = (double *)c->saved;
    e.H = e.G + e.dd;
    e.r = e.H + e.dd;
    e.w = e.r + e.items * e.T * e.d;
    return e;
}
/* sum over bins from .. to of (T,dd) blocks: (dd) */
VDI__FN void vdi__vm_sum(int64_t dd, const double *blocks, int64_t from, int64_t to, double *sum) {
    if (to > from) {
        vdi_sum_rows(VDI_F64, (size_t)(to - from), (size_t)dd, blocks + from * dd, (size_t)dd,
                     false, sum);
    } else {
        memset(sum, 0, (size_t)dd * sizeof *sum);
    }
}

VDI__FN vdi_status vdi__energy_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    vdi__energy e = vdi__energy_open(c, n);
    const int64_t d = e.d, dd = e.dd, T = e.T;
    const size_t D = (size_t)d;
    double *sum = e.w + e.items * T * d, *out = (double *)c->out[0].data;
    (void)err;
    memset(e.G, 0, (size_t)(2 * dd) * sizeof *e.G);
    vdi__vm_mul(d, 1, e.Qi, false, e.A, false, e.G);
    vdi__vm_mul(d, 1, e.A, true, e.G, false, e.H);
    for (int64_t i = 0; i < e.items; i++) {
        const int64_t b = i % n->trials, length = n->length[b], first = i * T * d;
        const double *m = e.m + first, *P = n->start[b] ? e.P0 : n->mid;
        double *r = e.r + first, *w = e.w + first;
        for (int64_t k = 0; k < d; k++) {
            r[k] = m[k] - (n->start[b] ? e.x0[k] : 0);
            w[k] = 0;
        }
        vdi__vm_apply(d, 1, P, false, r, w);
        if (length > 1) {
            vdi_gemm(VDI_F64, VDI_GEMM_TB, (size_t)(length - 1), D, D, m, D, e.A, D, r + d, D);
            for (int64_t k = d; k < length * d; k++)
                r[k] = m[k] - r[k];
            if (e.c) vdi__vm_add((length - 1) * d, -1, e.c + (b * T + 1) * d, r + d);
            if (e.g) vdi__vm_add((length - 1) * d, -1, e.g + first, r + d);
            vdi_gemm(VDI_F64, VDI_GEMM_TB, (size_t)(length - 1), D, D, r + d, D, e.Qi, D, w + d, D);
        }
        out[i] = vdi_dot(VDI_F64, (size_t)(length * d), r, w);
        if (!e.S) continue;
        const double *S = e.S + i * T * dd;
        vdi__vm_sum(dd, S, 1, length, sum);
        out[i] += vdi__vm_dot(dd, e.Qi, sum) + vdi__vm_dot(dd, P, S);
        vdi__vm_sum(dd, S, 0, length - 1, sum);
        out[i] += vdi__vm_dot(dd, e.H, sum);
        if (!e.O) continue;
        vdi__vm_sum(dd, e.O + i * (T - 1) * dd, 0, length - 1, sum);
        out[i] -= 2 * vdi__vm_dot(dd, e.G, sum);
    }
    return VDI_OK;
}

/* to_t += s x for `count` blocks of dd */
VDI__FN void vdi__vm_spread(int64_t dd, int64_t count, double s, const double *x, double *to) {
    for (int64_t t = 0; t < count; t++, to += dd) {
        for (int64_t k = 0; k < dd; k++)
            to[k] += s * x[k];
    }
}

/* With G = Qi A and H = A'G as operands of their own: their cotangents into those of A and Qi. */
VDI__FN void vdi__lds_roots_back(int64_t d, const double *A, const double *Qi, const double *G,
                                 double *Gb, const double *Hb, double *Ab, double *Qb) {
    if (Ab) vdi__vm_mul(d, 1, G, false, Hb, true, Ab);
    vdi__vm_mul(d, 1, A, false, Hb, false, Gb);
    if (Ab) vdi__vm_mul(d, 1, Qi, true, Gb, false, Ab);
    if (Qb) vdi__vm_mul(d, 1, Gb, false, A, true, Qb);
}

VDI__FN vdi_status vdi__energy_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    vdi__energy e = vdi__energy_open(c, n);
    const int64_t d = e.d, dd = e.dd, T = e.T;
    const size_t D = (size_t)d;
    const double *g = (const double *)c->dout[0].data;
    double *s = (double *)vdi_tape_scratch(c->tape, (size_t)(3 * dd + 2 * T * d) * sizeof *s);
    (void)err;
    if (!g || !s) return VDI_OK;
    double *Gb = s;
    double *Hb = s + dd;
    double *sum = s + 2 * dd;
    double *w = s + 3 * dd;
    double *r = w + T * d;
    memset(s, 0, (size_t)(2 * dd) * sizeof *s);
    for (int64_t i = 0; i < e.items; i++) {
        const int64_t b = i % n->trials;
        const int64_t length = n->length[b];
        const int64_t first = i * T * d;
        const int64_t steps = length - 1;
        const double *m = e.m + first, *P = n->start[b] ? e.P0 : n->mid;
        double *Pb = n->start[b] ? e.Pb : NULL, *mb = e.mb ? e.mb + first : NULL;
        const double gi = g[i];
        for (int64_t k = 0; k < length * d; k++) {
            w[k] = 2 * gi * e.w[first + k];
            r[k] = gi * e.r[first + k];
        }
        if (mb) vdi__vm_add(length * d, 1, w, mb);
        if (n->start[b] && e.xb) vdi__vm_add(d, -1, w, e.xb);
        if (Pb) vdi__vm_outer(d, 1, r, e.r + first, Pb);
        if (steps > 0) {
            const size_t k = (size_t)steps;
            if (e.cb) vdi__vm_add(steps * d, -1, w + d, e.cb + (b * T + 1) * d);
            if (e.gb) vdi__vm_add(steps * d, -1, w + d, e.gb + first);
            if (e.Qb) {
                vdi_gemm(VDI_F64, VDI_GEMM_TA | VDI_GEMM_ACC, D, D, k, r + d, D, e.r + first + d, D,
                         e.Qb, D);
            }
            for (int64_t j = d; j < length * d; j++)
                w[j] = -w[j];
            if (e.Ab)
                vdi_gemm(VDI_F64, VDI_GEMM_TA | VDI_GEMM_ACC, D, D, k, w + d, D, m, D, e.Ab, D);
            if (mb) vdi_gemm(VDI_F64, VDI_GEMM_ACC, k, D, D, w + d, D, e.A, D, mb, D);
        }
        if (!e.S) continue;
        const double *S = e.S + i * T * dd;
        double *Sb = e.Sb ? e.Sb + i * T * dd : NULL;
        if (Pb) vdi__vm_add(dd, gi, S, Pb);
        vdi__vm_sum(dd, S, 1, length, sum);
        if (e.Qb) vdi__vm_add(dd, gi, sum, e.Qb);
        vdi__vm_sum(dd, S, 0, steps, sum);
        vdi__vm_add(dd, gi, sum, Hb);
        if (Sb) {
            for (int64_t k = 0; k < dd; k++)
                sum[k] = e.H[k] + e.Qi[k];
            vdi__vm_add(dd, gi, P, Sb);
            if (steps > 0) {
                vdi__vm_add(dd, gi, e.H, Sb);
                vdi__vm_spread(dd, steps - 1, gi, sum, Sb + dd);
                vdi__vm_add(dd, gi, e.Qi, Sb + steps * dd);
            }
        }
        if (!e.O) continue;
        vdi__vm_sum(dd, e.O + i * (T - 1) * dd, 0, steps, sum);
        vdi__vm_add(dd, -2 * gi, sum, Gb);
        if (e.Ob) vdi__vm_spread(dd, steps, -2 * gi, e.G, e.Ob + i * (T - 1) * dd);
    }
    vdi__lds_roots_back(d, e.A, e.Qi, e.G, Gb, Hb, e.Ab, e.Qb);
    return VDI_OK;
}

VDI__DEF vdi_var vdi_var_lds_energy(vdi_tape *t, const vdi_lds_vars *p, vdi_var m, vdi_var S,
                                    vdi_var O, const vdi_trial_info *info) {
    static const char where[] = "vdi_var_lds_energy";
    int64_t d = vdi_var_dim(t, p->A, 0), shape[2];
    vdi_custom_desc desc = VDI__ZERO;
    vdi_var in[VDI_CUSTOM_MAX], r = vdi_var_none();
    if (d < 1) return r;
    bool samples = vdi_var_ndim(t, m) == 4;
    vdi__lds_note *note = vdi__lds_remember(t, where, info, p->mid, d);
    if (!note) return r;
    in[0] = m;
    in[1] = p->A;
    in[2] = p->Qi;
    in[3] = p->Q0i;
    in[4] = p->x0;
    desc.inputs = 5;
    note->has_S = vdi_var_ok(S);
    note->has_c = vdi_var_ok(p->c);
    note->has_g = samples && vdi_var_ok(p->g);
    if (note->has_S) in[desc.inputs++] = S;
    if (note->has_S && info->T > 1) in[desc.inputs++] = O;
    if (note->has_c) in[desc.inputs++] = p->c;
    if (note->has_g) in[desc.inputs++] = p->g;
    shape[0] = samples ? vdi_var_dim(t, m, 0) : info->trials;
    shape[1] = info->trials;
    vdi_tensor out = vdi_tensor_view(NULL, VDI_F64, samples ? 2 : 1, shape);
    desc.name = where;
    desc.outputs = 1;
    desc.input = in;
    desc.output = &out;
    desc.user = note;
    int64_t bins = vdi_tensor_count(out) * info->T;
    desc.saved_bytes = (size_t)(3 * d * d + 2 * bins * d) * sizeof(double);
    desc.scratch_bytes = (size_t)(3 * d * d + 2 * info->T * d) * sizeof(double);
    desc.forward = vdi__energy_forward;
    desc.backward = vdi__energy_backward;
    (void)vdi_var_custom(t, &desc, &r);
    return r;
}

/* A constant (B) on the tape, one number a trial. */
typedef double vdi__per_trial_fn(const vdi_trial_info *info, int64_t b, double x);
VDI__FN double vdi__per_trial_steps(const vdi_trial_info *info, int64_t b, double x) {
    return x * (double)(info->length[b] - 1);
}
VDI__FN double vdi__per_trial_length(const vdi_trial_info *info, int64_t b, double x) {
    return x * (double)info->length[b];
}
VDI__FN double vdi__per_trial_start(const vdi_trial_info *info, int64_t b, double x) {
    return x * (double)info->start[b];
}
VDI__FN double vdi__per_trial_middle(const vdi_trial_info *info, int64_t b, double x) {
    return info->start[b] ? 0 : x;
}
VDI__FN vdi_var vdi__per_trial(vdi_tape *t, const vdi_trial_info *info, vdi__per_trial_fn *fn,
                               double x) {
    double *v = (double *)vdi__tape_payload(t, "vdi_vilds", (size_t)info->trials * sizeof *v);
    if (!v) return vdi_var_none();
    for (int64_t b = 0; b < info->trials; b++)
        v[b] = fn(info, b, x);
    return vdi_tape_constant(t, vdi_tensor_1d(v, VDI_F64, info->trials));
}

/* sum over the factors of p(z) of log det of the precision, less T d log 2 pi if `constants`:
 * (B) */
VDI__FN vdi_var vdi__lds_log_dets(vdi_tape *t, const vdi_lds_vars *p, const vdi_trial_info *info,
                                  int64_t d, bool constants) {
    vdi_var r =
        vdi_var_add(t, vdi_var_mul(t, p->ld, vdi__per_trial(t, info, vdi__per_trial_steps, 1)),
                    vdi_var_mul(t, p->ld0, vdi__per_trial(t, info, vdi__per_trial_start, 1)));
    if (p->mid)
        r = vdi_var_add(t, r, vdi__per_trial(t, info, vdi__per_trial_middle, p->mid[d * d]));
    return constants
               ? vdi_var_add(
                     t, r, vdi__per_trial(t, info, vdi__per_trial_length, -(double)d * VDI_LOG_2PI))
               : r;
}

VDI__DEF vdi_var vdi_var_lds_log_prob(vdi_tape *t, const vdi_lds_vars *p, vdi_var z,
                                      const vdi_trial_info *info) {
    vdi_var e = vdi_var_lds_energy(t, p, z, vdi_var_none(), vdi_var_none(), info);
    return vdi_var_mul_scalar(
        t, vdi_var_sub(t, vdi__lds_log_dets(t, p, info, vdi_var_dim(t, p->A, 0), true), e), 0.5);
}

/* ======== q: product ========================================================================== */

VDI__FN int64_t vdi__product_outputs(int64_t d) { return d + d * d; }
VDI__FN void vdi__product_start(int64_t d, double *bias) {
    for (int64_t i = 0; i < d; i++)
        bias[d + i * d + i] = 0.5;
}

/* inputs: out A Qi Q0i x0 [c]; outputs: D k [E]. out holds h (d) and R (d,d) of each bin. With
 * `natural` R is Lambda itself. */
VDI__FN vdi_status vdi__product_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    int64_t d = c->in[1].shape[0];
    int64_t T = n->T;
    int64_t dd = d * d;
    int64_t B = n->trials;
    const double *o = (const double *)c->in[0].data;
    const double *A = (const double *)c->in[1].data;
    const double *Qi = (const double *)c->in[2].data;
    const double *P0 = (const double *)c->in[3].data;
    const double *x0 = (const double *)c->in[4].data;
    const double *in = n->has_c ? (const double *)c->in[5].data : NULL;
    double *D = (double *)c->out[0].data;
    double *k = (double *)c->out[1].data;
    double *E = T > 1 ? (double *)c->out[2].data : NULL;
    double *G = (double *)c->saved, *H = G + dd;
    (void)err;
    memset(G, 0, (size_t)(2 * dd) * sizeof *G);
    vdi__vm_mul(d, 1, Qi, false, A, false, G);
    vdi__vm_mul(d, 1, A, true, G, false, H);
    for (int64_t b = 0; b < B; b++) {
        for (int64_t t = 0; t < T; t++) {
            int64_t i = b * T + t;
            const double *h = o + i * (d + dd), *R = h + d, *P = t ? Qi : n->start[b] ? P0 : n->mid;
            double *Di = D + i * dd, *ki = k + i * d;
            bool more = t + 1 < n->length[b];
            for (int64_t j = 0; j < dd; j++)
                Di[j] = P[j] + (more ? H[j] : 0);
            if (n->has_S)
                vdi__vm_add(dd, 1, R, Di);
            else
                vdi__vm_square(d, R, Di);
            memcpy(ki, h, (size_t)d * sizeof *ki);
            if (!t && n->start[b]) vdi__vm_apply(d, 1, P, false, x0, ki);
            if (t && in) vdi__vm_apply(d, 1, P, false, in + i * d, ki);
            if (more && in) vdi__vm_apply(d, -1, G, true, in + (i + 1) * d, ki);
            if (t + 1 < T) {
                for (int64_t j = 0; j < dd; j++)
                    E[(b * (T - 1) + t) * dd + j] = -G[j];
            }
        }
    }
    return VDI_OK;
}
VDI__FN vdi_status vdi__product_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    int64_t d = c->in[1].shape[0];
    int64_t T = n->T;
    int64_t dd = d * d;
    int64_t B = n->trials;
    const double *o = (const double *)c->in[0].data;
    const double *A = (const double *)c->in[1].data;
    const double *Qi = (const double *)c->in[2].data;
    const double *P0 = (const double *)c->in[3].data;
    const double *x0 = (const double *)c->in[4].data;
    const double *in = n->has_c ? (const double *)c->in[5].data : NULL;
    const double *Db = (const double *)c->dout[0].data;
    const double *kb = (const double *)c->dout[1].data;
    const double *Eb = T > 1 ? (const double *)c->dout[2].data : NULL;
    const double *G = (const double *)c->saved;
    double *ob = (double *)c->din[0].data, *inb = n->has_c ? (double *)c->din[5].data : NULL;
    double *w = (double *)vdi_tape_scratch(c->tape, (size_t)(3 * dd) * sizeof *w);
    double *Ab = (double *)c->din[1].data;
    double *Qb = (double *)c->din[2].data;
    double *P0b = (double *)c->din[3].data;
    double *xb = (double *)c->din[4].data;
    (void)err;
    if (!w) return VDI_OK;
    memset(w, 0, (size_t)(2 * dd) * sizeof *w);
    double *Gb = w, *Hb = w + dd, *sum = w + 2 * dd;
    const int64_t stride = d + dd;
    for (int64_t b = 0; b < B; b++) {
        const int64_t length = n->length[b], first = b * T;
        const double *D = Db ? Db + first * dd : NULL, *k = kb ? kb + first * d : NULL;
        double *Pb = n->start[b] ? P0b : NULL, *out = ob ? ob + first * stride : NULL;
        if (D) {
            if (Pb) vdi__vm_add(dd, 1, D, Pb);
            vdi__vm_sum(dd, D, 1, length, sum);
            if (Qb) vdi__vm_add(dd, 1, sum, Qb);
            vdi__vm_sum(dd, D, 0, length - 1, sum);
            vdi__vm_add(dd, 1, sum, Hb);
            for (int64_t t = 0; out && t < length; t++) {
                if (n->has_S) {
                    vdi__vm_add(dd, 1, D + t * dd, out + t * stride + d);
                } else {
                    vdi__vm_square_back(d, D + t * dd, o + (first + t) * stride + d,
                                        out + t * stride + d);
                }
            }
        }
        if (k) {
            for (int64_t t = 0; out && t < length; t++) {
                for (int64_t j = 0; j < d; j++)
                    out[t * stride + j] += k[t * d + j];
            }
            if (n->start[b] && Pb) vdi__vm_outer(d, 1, k, x0, Pb);
            if (n->start[b] && xb) vdi__vm_apply(d, 1, P0, true, k, xb);
            for (int64_t t = 1; in && t < length; t++) { /* k_t has Qi c_t, k_{t-1} has -G'c_t */
                const double *ct = in + (first + t) * d, *here = k + t * d, *before = here - d;
                if (Qb) vdi__vm_outer(d, 1, here, ct, Qb);
                vdi__vm_outer(d, -1, ct, before, Gb);
                if (!inb) continue;
                vdi__vm_apply(d, 1, Qi, true, here, inb + (first + t) * d);
                vdi__vm_apply(d, -1, G, false, before, inb + (first + t) * d);
            }
        }
        if (!Eb) continue;
        vdi__vm_sum(dd, Eb + b * (T - 1) * dd, 0, length - 1, sum);
        vdi__vm_add(dd, -1, sum, Gb);
    }
    vdi__lds_roots_back(d, A, Qi, G, Gb, Hb, Ab, Qb);
    return VDI_OK;
}

VDI__FN vdi_status vdi__product(vdi_tape *t, vdi_var out, const vdi_lds_vars *p,
                                const vdi_trial_info *info, bool natural, vdi_var *D, vdi_var *E,
                                vdi_var *k) {
    static const char where[] = "vdi_vilds_product";
    int64_t d = vdi_var_dim(t, p->A, 0), B = info->trials, T = info->T;
    vdi_custom_desc desc = VDI__ZERO;
    vdi_var in[6], r[3];
    vdi_tensor shape[3];
    r[0] = r[1] = r[2] = vdi_var_none();
    *D = *E = *k = r[0];
    if (d < 1) return vdi_tape_status(t, NULL);
    vdi__lds_note *note = vdi__lds_remember(t, where, info, p->mid, d);
    if (!note) return vdi_tape_status(t, NULL);
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
    vdi_status status = vdi_var_custom(t, &desc, r);
    *D = r[0];
    *k = r[1];
    *E = r[2];
    return status;
}
VDI__FN vdi_status vdi__product_build(vdi_tape *t, vdi_var out, const vdi_lds_vars *p,
                                      const vdi_trial_info *info, vdi_var *D, vdi_var *E,
                                      vdi_var *mean, bool *is_mean) {
    *is_mean = false;
    return vdi__product(t, out, p, info, false, D, E, mean);
}

/* ======== q: direct and mean field ============================================================ */

VDI__FN int64_t vdi__direct_outputs(int64_t d) { return d + 2 * d * d; }
VDI__FN void vdi__unit_start(int64_t d, double *bias) {
    (void)d;
    (void)bias;
} /* exp 0 = 1: all is white */
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
   it exp, above it unread. Every precision has exactly one such factor; a full matrix for it would
   go through singular ones wherever an eigenvalue changes its sign, and a bin there has a variance
   without bounds. */
VDI__FN vdi_var vdi__factor_of(vdi_tape *t, vdi_var out, int64_t from, int64_t d,
                               const vdi_trial_info *info) {
    double *eye = (double *)vdi__tape_payload(t, "vdi_vilds", (size_t)(2 * d * d) * sizeof *eye);
    double *low = eye + d * d;
    if (!eye) return vdi_var_none();
    for (int64_t i = 0; i < d * d; i++) {
        eye[i] = i / d == i % d;
        low[i] = i / d > i % d;
    }
    vdi_var x = vdi__block_of(t, out, from, d, info);
    vdi_var I = vdi_tape_constant(t, vdi_tensor_2d(eye, VDI_F64, d, d));
    vdi_var diagonal = vdi_var_mul(t, vdi_var_exp(t, vdi_var_mul(t, x, I)), I);
    return vdi_var_add(
        t, vdi_var_mul(t, x, vdi_tape_constant(t, vdi_tensor_2d(low, VDI_F64, d, d))), diagonal);
}
/* c I added to each block */
VDI__FN vdi_var vdi__add_identity(vdi_tape *t, vdi_var D, int64_t d, double c) {
    double *eye = (double *)vdi__tape_payload(t, "vdi_vilds", (size_t)(d * d) * sizeof *eye);
    if (!eye) return vdi_var_none();
    for (int64_t i = 0; i < d * d; i++)
        eye[i] = i / d == i % d ? c : 0;
    return vdi_var_add(t, D, vdi_tape_constant(t, vdi_tensor_2d(eye, VDI_F64, d, d)));
}
/* J = F F' with F_tt = a_t, F_{t+1,t} = b_t: D_t = a_t a_t' + b_{t-1} b_{t-1}' + 1e-6 I, E_t = b_t
 * a_t'. */
VDI__FN vdi_status vdi__direct_build(vdi_tape *t, vdi_var out, const vdi_lds_vars *p,
                                     const vdi_trial_info *info, vdi_var *D, vdi_var *E,
                                     vdi_var *mean, bool *is_mean) {
    int64_t d = vdi_var_dim(t, p->A, 0), T = info->T;
    *is_mean = true;
    if (d < 1) return vdi_tape_status(t, NULL);
    *mean = vdi_var_slice(t, out, 2, 0, 1, d);
    vdi_var a = vdi__factor_of(t, out, d, d, info);
    *D = vdi_var_matmul(t, a, a, VDI_GEMM_TB);
    *E = vdi_var_none();
    if (T > 1) {
        int64_t shape[4];
        vdi_var b = vdi_var_slice(t, vdi__block_of(t, out, d + d * d, d, info), 1, 0, 1, T - 1),
                parts[2];
        shape[0] = info->trials;
        shape[1] = 1;
        shape[2] = shape[3] = d;
        parts[0] = vdi_tape_constant_copy(
            t, vdi_tensor_broadcast_to(vdi_tape_value(t, vdi_tape_full(t, 0, NULL, 0)), 4, shape),
            VDI_F64);
        parts[1] = vdi_var_matmul(t, b, b, VDI_GEMM_TB);
        *D = vdi_var_add(t, *D, vdi_var_concat(t, parts, 2, 1));
        *E = vdi_var_matmul(t, b, vdi_var_slice(t, a, 1, 0, 1, T - 1), VDI_GEMM_TB);
    }
    *D = vdi__add_identity(t, *D, d, 1e-6);
    return vdi_tape_status(t, NULL);
}

VDI__FN int64_t vdi__meanfield_outputs(int64_t d) { return d + d * d; }
/* D_t = R_t R_t' + 1e-6 I, here a precision. */
VDI__FN vdi_status vdi__meanfield_build(vdi_tape *t, vdi_var out, const vdi_lds_vars *p,
                                        const vdi_trial_info *info, vdi_var *D, vdi_var *E,
                                        vdi_var *mean, bool *is_mean) {
    int64_t d = vdi_var_dim(t, p->A, 0), shape[4];
    *is_mean = true;
    if (d < 1) return vdi_tape_status(t, NULL);
    *mean = vdi_var_slice(t, out, 2, 0, 1, d);
    vdi_var r = vdi__factor_of(t, out, d, d, info);
    *D = vdi__add_identity(t, vdi_var_matmul(t, r, r, VDI_GEMM_TB), d, 1e-6);
    *E = vdi_var_none();
    shape[0] = info->trials;
    shape[1] = info->T - 1;
    shape[2] = shape[3] = d;
    if (info->T > 1) {
        *E = vdi_tape_constant_copy(
            t, vdi_tensor_broadcast_to(vdi_tape_value(t, vdi_tape_full(t, 0, NULL, 0)), 4, shape),
            VDI_F64);
    }
    return vdi_tape_status(t, NULL);
}

VDI__DEF const vdi_vilds_family_ops *vdi_vilds_family_of(vdi_vilds_family kind) {
    static const vdi_vilds_family_ops family[3] = {
        {"product", vdi__product_outputs, vdi__product_start, vdi__product_build, true},
        {"direct", vdi__direct_outputs, vdi__unit_start, vdi__direct_build, false},
        {"meanfield", vdi__meanfield_outputs, vdi__unit_start, vdi__meanfield_build, false},
    };
    return (unsigned)kind < 3 ? &family[kind] : NULL;
}

/* ======== sums over trials, and counts ======================================================== */

/* Rows of a batch: trial b has rows first[b] .. first[b] + length[b] of `rows`, for each sample. */
typedef struct vdi__vrows {
    int64_t samples, trials, rows, n;
    const int64_t *first, *length;
    const void *y, *mask; /* (rows,n) counts, times the mask; and the mask, or NULL */
    const void **lent;    /* or, instead of y, where each trial's counts (length,n) stand in the
                             data */
} vdi__vrows;

/* x (S rows, n) to (S,B): the sum of everything in a trial. */
VDI__FN vdi_status vdi__trial_sums_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__vrows *r = (const vdi__vrows *)user;
    vdi_dtype dtype = c->in[0].dtype;
    size_t row = (size_t)r->n * vdi_dtype_size(dtype);
    (void)err;
    for (int64_t s = 0; s < r->samples; s++) {
        for (int64_t b = 0; b < r->trials; b++) {
            ((double *)c->out[0].data)[s * r->trials + b] =
                vdi_sum(dtype, (size_t)(r->length[b] * r->n),
                        (const char *)c->in[0].data + (size_t)(s * r->rows + r->first[b]) * row);
        }
    }
    return VDI_OK;
}
VDI__FN vdi_status vdi__trial_sums_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__vrows *r = (const vdi__vrows *)user;
    vdi_dtype dtype = c->in[0].dtype;
    (void)err;
    if (!c->din[0].data || !c->dout[0].data) return VDI_OK;
    for (int64_t s = 0; s < r->samples; s++) {
        for (int64_t b = 0; b < r->trials; b++) {
            double g = ((const double *)c->dout[0].data)[s * r->trials + b];
            int64_t at = (s * r->rows + r->first[b]) * r->n;
            for (int64_t i = 0; i < r->length[b] * r->n; i++) {
                if (dtype == VDI_F32)
                    ((float *)c->din[0].data)[at + i] += (float)g;
                else
                    ((double *)c->din[0].data)[at + i] += g;
            }
        }
    }
    return VDI_OK;
}

/* Poisson counts, without log y!: y log rate - rate, its derivative is kept in place of the rate.
   The rate is exp(eta), and beyond a log rate of 8 the tangent there: nothing overflows, and what
   went too far is still told the way back. */
#define VDI__POISSON_TOP 8.0
VDI__FN double vdi__poisson_beyond(double eta, double *log_rate) {
    *log_rate = VDI__POISSON_TOP + log1p(eta - VDI__POISSON_TOP);
    return exp(VDI__POISSON_TOP) * (1 + eta - VDI__POISSON_TOP);
}
/* One piece of it: log likelihood of n counts, derivatives into keep. */
VDI__FN double vdi__poisson_piece(vdi_dtype dtype, size_t n, const char *eta, const char *y,
                                  const char *mask, char *keep) {
    double top = vdi_max(dtype, n, eta), sum;
    bool held = !(top <= VDI__POISSON_TOP);
    if (held) vdi_clip(dtype, n, -1e30, VDI__POISSON_TOP, eta, keep);
    sum = vdi_dot(dtype, n, y, held ? keep : eta);
    vdi_exp(dtype, n, held ? keep : eta, keep);
    if (mask) vdi_binary(dtype, VDI_MUL, n, keep, 1, mask, 1, keep);
    sum -= vdi_sum(dtype, n, keep);
    vdi_axpby(dtype, n, 1, y, -1, keep);
    for (size_t i = 0; held && i < n; i++) {
        const double x = vdi_dtype_load(dtype, eta, (int64_t)i);
        const double yi = vdi_dtype_load(dtype, y, (int64_t)i);
        const double top_rate = exp(VDI__POISSON_TOP);
        if (!(x > VDI__POISSON_TOP) || (mask && vdi_dtype_load(dtype, mask, (int64_t)i) == 0))
            continue;
        double log_rate, rate = vdi__poisson_beyond(x, &log_rate);
        sum += yi * (log_rate - VDI__POISSON_TOP) - (rate - top_rate);
        vdi_dtype_store(dtype, keep, (int64_t)i, (yi / rate - 1) * top_rate);
    }
    return sum;
}
VDI__FN vdi_status vdi__poisson_sums_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__vrows *r = (const vdi__vrows *)user;
    vdi_dtype dtype = c->in[0].dtype;
    /* stays in the first-level cache */
    const size_t size = vdi_dtype_size(dtype), row = (size_t)r->n * size, piece = 8192 / size;
    (void)err;
    for (int64_t s = 0; s < r->samples; s++) {
        for (int64_t b = 0; b < r->trials; b++) {
            const size_t n = (size_t)(r->length[b] * r->n);
            const size_t at = (size_t)(s * r->rows + r->first[b]) * row;
            const size_t from = (size_t)r->first[b] * row;
            const char *eta = (const char *)c->in[0].data + at;
            const char *y = r->lent ? (const char *)r->lent[b] : (const char *)r->y + from;
            const char *mask = r->mask ? (const char *)r->mask + from : NULL;
            double sum = 0;
            for (size_t i = 0; i < n; i += piece) {
                sum += vdi__poisson_piece(dtype, VDI__MIN(piece, n - i), eta + i * size,
                                          y + i * size, mask ? mask + i * size : NULL,
                                          (char *)c->saved + at + i * size);
            }
            ((double *)c->out[0].data)[s * r->trials + b] = sum;
        }
    }
    return VDI_OK;
}
VDI__FN vdi_status vdi__poisson_sums_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__vrows *r = (const vdi__vrows *)user;
    vdi_dtype dtype = c->in[0].dtype;
    size_t row = (size_t)r->n * vdi_dtype_size(dtype);
    (void)err;
    if (!c->din[0].data || !c->dout[0].data) return VDI_OK;
    for (int64_t s = 0; s < r->samples; s++) {
        for (int64_t b = 0; b < r->trials; b++) {
            size_t at = (size_t)(s * r->rows + r->first[b]) * row;
            vdi_axpby(dtype, (size_t)(r->length[b] * r->n),
                      ((const double *)c->dout[0].data)[s * r->trials + b],
                      (const char *)c->saved + at, 1, (char *)c->din[0].data + at);
        }
    }
    return VDI_OK;
}

VDI__FN vdi_var vdi__row_sums(vdi_tape *t, vdi_var x, const vdi__vrows *rows, bool poisson) {
    vdi_custom_desc desc = VDI__ZERO;
    vdi_var r = vdi_var_none();
    vdi_tensor out = vdi_tensor_2d(NULL, VDI_F64, rows->samples, rows->trials);
    vdi__vrows *own = (vdi__vrows *)vdi__tape_payload(t, "vdi_vilds", sizeof *own);
    if (!own || !vdi_var_ok(x)) return r;
    *own = *rows;
    desc.name = "vdi_vilds_sums";
    desc.inputs = desc.outputs = 1;
    desc.input = &x;
    desc.output = &out;
    desc.user = own;
    desc.forward = poisson ? vdi__poisson_sums_forward : vdi__trial_sums_forward;
    desc.backward = poisson ? vdi__poisson_sums_backward : vdi__trial_sums_backward;
    desc.saved_bytes = poisson ? vdi_tensor_bytes(vdi_tape_value(t, x)) : 0;
    (void)vdi_var_custom(t, &desc, &r);
    return r;
}
#endif
