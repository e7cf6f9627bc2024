/* model/vilds_graph.h - what an ELBO is made of: the prior, the families of q, the observation parts, as operations of the tape
 *
 * Do this:
 *     vdi_var Qi, ld;
 *     vdi_var_precision_root(t, q, &Qi, &ld);                            Q^{-1} and its log determinant from free parameters
 *     vdi_var e = vdi_var_lds_energy(t, &prior, z, none, none, &info);   E[-2 log p(z)] without its constants
 *
 * For those who write a log p(y, z) of their own: the same prior that the ready parts use. The equations: docs/vilds.md. Everything
 * here is float64 and O(T d^3); shapes are checked by the model, not again.
 * A family of q is a struct of functions (vdi_vilds_family_ops): a fourth one is one more of them.
 */
#ifndef VDI_MODEL_VILDS_GRAPH_H
#define VDI_MODEL_VILDS_GRAPH_H
#include "vilds.h"

/** The linear dynamical prior on a tape, all float64. */
typedef struct vdi_lds_vars {
    vdi_var A, Qi, Q0i; /**< (d,d): transition, inverse covariances */
    vdi_var x0;         /**< (d) */
    vdi_var c;          /**< (B,T,d): what the inputs add to each transition, or the null variable */
    vdi_var g;          /**< (S,B,T,d): what a nonlinear transition adds to the step *after* each bin of samples z, or the null variable;
                             read where the energy is one of samples */
    vdi_var ld, ld0;    /**< log det Q^{-1}, log det Q0^{-1}: scalars */
    const double *mid;  /**< (d,d) inverse stationary covariance, for windows in the middle of a trial, and its log determinant behind
                             it; or NULL: all trials start at their beginning */
} vdi_lds_vars;

/** Q^{-1} = U' diag(exp 2w) U from q (d,d): w its diagonal, U unit lower triangular from the entries below; the rest is not read. */
VDI_API vdi_status vdi_var_precision_root(vdi_tape *t, vdi_var q, vdi_var *inverse, vdi_var *log_det);
/** For each trial (or sample and trial): E[(z_1-x0)'Q0^{-1}(z_1-x0) + sum_t (z_t - A z_{t-1} - c_t)'Q^{-1}(...)], z ~ N(m, S) with lag
 *  blocks O. m (B,T,d) or (S,B,T,d), then S and O null: the energy of samples, less g_{t-1} in each step. Result (B) or (S,B). */
VDI_API vdi_var vdi_var_lds_energy(vdi_tape *t, const vdi_lds_vars *p, vdi_var m, vdi_var S, vdi_var O, const vdi_trial_info *info);
/** log p(z) of samples z (S,B,T,d): (S,B), with all constants. */
VDI_API vdi_var vdi_var_lds_log_prob(vdi_tape *t, const vdi_lds_vars *p, vdi_var z, const vdi_trial_info *info);

/** A family of Gaussian posteriors: from the encoder's output to a block-tridiagonal precision. */
typedef struct vdi_vilds_family_ops {
    const char *name; /**< as in the metadata of a saved model */
    /** Outputs of the encoder for each bin. */
    int64_t (*outputs)(int64_t d);
    /** What the encoder's last bias starts with: `bias` (outputs) comes in as 0. */
    void (*start)(int64_t d, double *bias);
    /** out (B,T,outputs) to D (B,T,d,d), E (B,T-1,d,d) and either the mean (B,T,d) or J times the mean (then *is_mean is false). */
    vdi_status (*build)(vdi_tape *t, vdi_var out, const vdi_lds_vars *p, const vdi_trial_info *info, vdi_var *D, vdi_var *E, vdi_var *mean,
                        bool *is_mean);
    bool silent; /**< bins without any observation give no factor: the encoder's output is taken as 0 there */
} vdi_vilds_family_ops;
/** The family of that kind. */
VDI_API const vdi_vilds_family_ops *vdi_vilds_family_of(vdi_vilds_family kind);

#endif /* VDI_MODEL_VILDS_GRAPH_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_GRAPH_C)
#define VDI_MODEL_VILDS_GRAPH_C

/* ======== small matrices ==================================================================================================== */

/* c += s op(a) op(b), (d,d) each. */
VDI__FN void vdi__vm_mul(int64_t d, double s, const double *a, bool ta, const double *b, bool tb, double *c) {
    for (int64_t i = 0; i < d; i++)
        for (int64_t k = 0; k < d; k++) {
            double x = s * (ta ? a[k * d + i] : a[i * d + k]);
            for (int64_t j = 0; j < d; j++) c[i * d + j] += x * (tb ? b[j * d + k] : b[k * d + j]);
        }
}
/* c += a a', a (d,d) */
VDI__FN void vdi__vm_square(int64_t d, const double *a, double *c) {
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t k = 0; k < d; k++) sum += a[i * d + k] * a[j * d + k];
            c[i * d + j] += sum;
            if (j < i) c[j * d + i] += sum;
        }
}
/* y += s op(a) x */
VDI__FN void vdi__vm_apply(int64_t d, double s, const double *a, bool ta, const double *x, double *y) {
    for (int64_t i = 0; i < d; i++) {
        double sum = 0;
        for (int64_t j = 0; j < d; j++) sum += (ta ? a[j * d + i] : a[i * d + j]) * x[j];
        y[i] += s * sum;
    }
}
/* a += s x y' */
VDI__FN void vdi__vm_outer(int64_t d, double s, const double *x, const double *y, double *a) {
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) a[i * d + j] += s * x[i] * y[j];
}
VDI__FN void vdi__vm_add(int64_t n, double s, const double *x, double *y) {
    for (int64_t i = 0; i < n; i++) y[i] += s * x[i];
}
VDI__FN double vdi__vm_dot(int64_t n, const double *x, const double *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* The longest eigenvalue, from the norm of a high power: A^(2^k) scaled at every squaring. `work` (2 d d). */
VDI__FN double vdi__vm_radius(int64_t d, const double *a, double *work) {
    double *p = work, *q = work + d * d, log_norm = 0, weight = 1;
    memcpy(p, a, (size_t)(d * d) * sizeof *p);
    for (int k = 0; k < 24; k++) {
        double norm = sqrt(vdi__vm_dot(d * d, p, p));
        if (!(norm > 0)) return norm == 0 ? 0 : (double)NAN;
        log_norm += log(norm) * weight;
        for (int64_t i = 0; i < d * d; i++) p[i] /= norm, q[i] = 0;
        vdi__vm_mul(d, 1, p, false, p, false, q);
        double *swap = p;
        p = q, q = swap, weight *= 0.5;
    }
    return exp(log_norm);
}

/* P = A P A' + Q by doubling; A has to be stable. `work` (3 d d). */
VDI__FN void vdi__vm_stationary(int64_t d, const double *A, const double *Q, double *P, double *work) {
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
        for (int64_t i = 0; i < d * d; i++) grew = VDI__MAX(grew, fabs(c[i])), size = VDI__MAX(size, fabs(P[i]));
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
        for (int64_t j = 0; j < d; j++) v[i * d + j] = j < i ? e * q[i * d + j] : j == i ? e : 0;
    }
}

/* The parameters q of the precision of a covariance: V'V = cov^{-1}, so V^{-1} V^{-T} = cov, and V^{-1} is its Cholesky factor. `work`
 * (d,d). */
VDI__FN vdi_status vdi__precision_parameters(int64_t d, const double *cov, double *q, double *work, vdi_error *err) {
    memcpy(work, cov, (size_t)(d * d) * sizeof *q);
    vdi_status status = vdi_cholesky(VDI_F64, (size_t)d, work, (size_t)d, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < d * d; i++) q[i] = i / d == i % d;
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, (size_t)d, (size_t)d, work, (size_t)d, q, (size_t)d); /* q = V */
    for (int64_t i = 0; i < d; i++) {
        double e = q[i * d + i];
        for (int64_t j = 0; j < i; j++) q[i * d + j] /= e;
        q[i * d + i] = log(e);
    }
    return VDI_OK;
}
/* And back: cov = V^{-1} V^{-T}. */
VDI__FN void vdi__precision_covariance(int64_t d, const double *q, double *cov, double *work) {
    vdi__precision_v(d, q, work);
    for (int64_t i = 0; i < d * d; i++) cov[i] = i / d == i % d;
    vdi_trsm(VDI_F64, VDI_TRSM_LOWER, (size_t)d, (size_t)d, work, (size_t)d, cov, (size_t)d); /* cov = V^{-1} = L */
    memcpy(work, cov, (size_t)(d * d) * sizeof *cov);
    memset(cov, 0, (size_t)(d * d) * sizeof *cov);
    vdi__vm_mul(d, 1, work, false, work, true, cov);
}

/* ======== the precision of a covariance ===================================================================================== */

VDI__FN vdi_status vdi__root_forward(vdi_custom *c, void *user, vdi_error *err) {
    int64_t d = c->in[0].shape[0];
    const double *q = (const double *)c->in[0].data;
    double *v = (double *)c->saved, *inverse = (double *)c->out[0].data, *ld = (double *)c->out[1].data;
    (void)user, (void)err;
    vdi__precision_v(d, q, v);
    memset(inverse, 0, (size_t)(d * d) * sizeof *inverse);
    vdi__vm_mul(d, 1, v, true, v, false, inverse);
    *ld = 0;
    for (int64_t i = 0; i < d; i++) *ld += 2 * q[i * d + i];
    return VDI_OK;
}
VDI__FN vdi_status vdi__root_backward(vdi_custom *c, void *user, vdi_error *err) {
    int64_t d = c->in[0].shape[0];
    const double *v = (const double *)c->saved;
    double *dq = (double *)c->din[0].data;
    (void)user, (void)err;
    if (!dq) return VDI_OK;
    if (c->dout[1].data)
        for (int64_t i = 0; i < d; i++) dq[i * d + i] += 2 * *(const double *)c->dout[1].data;
    const double *g = (const double *)c->dout[0].data;
    if (!g) return VDI_OK;
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j <= i; j++) {
            double bar = 0; /* V (g + g') */
            for (int64_t k = 0; k <= i; k++) bar += v[i * d + k] * (g[k * d + j] + g[j * d + k]);
            if (j < i) dq[i * d + j] += v[i * d + i] * bar;
            dq[i * d + i] += bar * v[i * d + j];
        }
    return VDI_OK;
}
VDI__DEF vdi_status vdi_var_precision_root(vdi_tape *t, vdi_var q, vdi_var *inverse, vdi_var *log_det) {
    int64_t d = vdi_var_dim(t, q, 0);
    vdi_custom_desc desc = VDI__ZERO;
    vdi_tensor out[2];
    vdi_var r[2];
    r[0] = r[1] = *inverse = *log_det = vdi_var_none();
    if (d < 1) return vdi_tape_status(t, NULL);
    out[0] = vdi_tensor_2d(NULL, VDI_F64, d, d);
    out[1] = vdi_tensor_view(NULL, VDI_F64, 0, NULL);
    desc.name = "vdi_var_precision_root";
    desc.inputs = 1, desc.outputs = 2, desc.input = &q, desc.output = out;
    desc.saved_bytes = (size_t)(d * d) * sizeof(double);
    desc.forward = vdi__root_forward, desc.backward = vdi__root_backward;
    vdi_status status = vdi_var_custom(t, &desc, r);
    *inverse = r[0], *log_det = r[1];
    return status;
}

/* ======== the energy of the prior =========================================================================================== */

/* What the operations over trials remember of them. */
typedef struct vdi__lds_note {
    int64_t samples, trials, T;
    const int64_t *length;
    const bool *start;
    const double *mid;
    bool has_S, has_c, has_g;
} vdi__lds_note;

VDI__FN vdi__lds_note *vdi__lds_remember(vdi_tape *t, const char *where, const vdi_trial_info *info, const double *mid, int64_t d) {
    size_t b = (size_t)info->trials, numbers = mid ? (size_t)(d * d + 1) * sizeof *mid : 0;
    char *mem = (char *)vdi__tape_payload(t, where, sizeof(vdi__lds_note) + numbers + b * (sizeof(int64_t) + sizeof(bool)));
    if (!mem) return NULL;
    vdi__lds_note *note = (vdi__lds_note *)(void *)mem;
    memset(note, 0, sizeof *note);
    mem += sizeof *note;
    note->trials = info->trials, note->T = info->T, note->samples = info->samples;
    if (mid) note->mid = (const double *)memcpy(mem, mid, numbers);
    mem += numbers;
    note->length = (const int64_t *)memcpy(mem, info->length, b * sizeof(int64_t));
    mem += b * sizeof(int64_t);
    note->start = (const bool *)memcpy(mem, info->start, b * sizeof(bool));
    return note;
}

/* inputs: m A Qi Q0i x0 [S O] [c] [g]; saved: G = Qi A, H = A'Qi A */
VDI__FN vdi_status vdi__energy_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    int64_t d = c->in[1].shape[0], T = n->T, dd = d * d, items = vdi_tensor_count(c->out[0]);
    const double *m = (const double *)c->in[0].data, *A = (const double *)c->in[1].data, *Qi = (const double *)c->in[2].data;
    const double *P0 = (const double *)c->in[3].data, *x0 = (const double *)c->in[4].data, *S = NULL, *O = NULL, *in = NULL;
    int at = 5;
    if (n->has_S) {
        S = (const double *)c->in[at++].data;
        if (T > 1) O = (const double *)c->in[at++].data;
    }
    if (n->has_c) in = (const double *)c->in[at++].data;
    const double *g = n->has_g ? (const double *)c->in[at].data : NULL;
    double *G = (double *)c->saved, *H = G + dd, *out = (double *)c->out[0].data, *r = H + dd;
    (void)err;
    memset(G, 0, (size_t)(2 * dd) * sizeof *G);
    vdi__vm_mul(d, 1, Qi, false, A, false, G);
    vdi__vm_mul(d, 1, A, true, G, false, H);
    for (int64_t i = 0; i < items; i++) {
        int64_t b = i % n->trials, length = n->length[b];
        double sum = 0;
        for (int64_t t = 0; t < length; t++) {
            const double *mt = m + (i * T + t) * d, *P = t ? Qi : n->start[b] ? P0 : n->mid;
            for (int64_t k = 0; k < d; k++) r[k] = mt[k] - (t ? in ? in[(b * T + t) * d + k] : 0 : n->start[b] ? x0[k] : 0);
            if (t) vdi__vm_apply(d, -1, A, false, mt - d, r);
            if (t && g) vdi__vm_add(d, -1, g + (i * T + t - 1) * d, r);
            for (int64_t k = 0; k < d; k++) sum += r[k] * vdi__vm_dot(d, P + k * d, r);
            if (!S) continue;
            sum += vdi__vm_dot(dd, P, S + (i * T + t) * dd);
            if (t + 1 < length) sum += vdi__vm_dot(dd, H, S + (i * T + t) * dd) - 2 * vdi__vm_dot(dd, G, O + (i * (T - 1) + t) * dd);
        }
        out[i] = sum;
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__energy_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    int64_t d = c->in[1].shape[0], T = n->T, dd = d * d, items = vdi_tensor_count(c->out[0]);
    const double *m = (const double *)c->in[0].data, *A = (const double *)c->in[1].data, *Qi = (const double *)c->in[2].data;
    const double *P0 = (const double *)c->in[3].data, *x0 = (const double *)c->in[4].data, *S = NULL, *O = NULL, *in = NULL;
    double *mb = (double *)c->din[0].data, *Sb = NULL, *Ob = NULL, *inb = NULL, *fb = NULL;
    int at = 5;
    if (n->has_S) {
        S = (const double *)c->in[at].data, Sb = (double *)c->din[at++].data;
        if (T > 1) O = (const double *)c->in[at].data, Ob = (double *)c->din[at++].data;
    }
    if (n->has_c) in = (const double *)c->in[at].data, inb = (double *)c->din[at++].data;
    const double *f = n->has_g ? (const double *)c->in[at].data : NULL;
    if (f) fb = (double *)c->din[at].data;
    const double *G = (const double *)c->saved, *H = G + dd, *g = (const double *)c->dout[0].data;
    double *w = (double *)vdi_tape_scratch(c->tape, (size_t)(5 * dd + 3 * d) * sizeof *w);
    (void)err;
    if (!g || !w) return VDI_OK;
    memset(w, 0, (size_t)(5 * dd + 3 * d) * sizeof *w);
    double *Ab = w, *Qb = w + dd, *Gb = w + 2 * dd, *Hb = w + 3 * dd, *Pb = w + 4 * dd, *xb = w + 5 * dd, *r = xb + d, *Pr = r + d;
    for (int64_t i = 0; i < items; i++) {
        int64_t b = i % n->trials, length = n->length[b];
        double gi = g[i];
        for (int64_t t = 0; t < length; t++) {
            const double *mt = m + (i * T + t) * d, *P = t ? Qi : n->start[b] ? P0 : n->mid;
            double *bar = t ? Qb : n->start[b] ? Pb : NULL;
            for (int64_t k = 0; k < d; k++) r[k] = mt[k] - (t ? in ? in[(b * T + t) * d + k] : 0 : n->start[b] ? x0[k] : 0);
            if (t) vdi__vm_apply(d, -1, A, false, mt - d, r);
            if (t && f) vdi__vm_add(d, -1, f + (i * T + t - 1) * d, r);
            for (int64_t k = 0; k < d; k++) Pr[k] = 2 * gi * vdi__vm_dot(d, P + k * d, r);
            if (mb) vdi__vm_add(d, 1, Pr, mb + (i * T + t) * d);
            if (mb && t) vdi__vm_apply(d, -1, A, true, Pr, mb + (i * T + t - 1) * d);
            if (t) vdi__vm_outer(d, -1, Pr, mt - d, Ab);
            if (t && inb) vdi__vm_add(d, -1, Pr, inb + (b * T + t) * d);
            if (t && fb) vdi__vm_add(d, -1, Pr, fb + (i * T + t - 1) * d);
            if (!t && n->start[b]) vdi__vm_add(d, -1, Pr, xb);
            if (bar) vdi__vm_outer(d, gi, r, r, bar);
            if (!S) continue;
            if (bar) vdi__vm_add(dd, gi, S + (i * T + t) * dd, bar);
            if (Sb) vdi__vm_add(dd, gi, P, Sb + (i * T + t) * dd);
            if (t + 1 < length) {
                vdi__vm_add(dd, gi, S + (i * T + t) * dd, Hb);
                vdi__vm_add(dd, -2 * gi, O + (i * (T - 1) + t) * dd, Gb);
                if (Sb) vdi__vm_add(dd, gi, H, Sb + (i * T + t) * dd);
                if (Ob) vdi__vm_add(dd, -2 * gi, G, Ob + (i * (T - 1) + t) * dd);
            }
        }
    }
    vdi__vm_mul(d, 1, G, false, Hb, true, Ab); /* H = A'G */
    vdi__vm_mul(d, 1, A, false, Hb, false, Gb);
    vdi__vm_mul(d, 1, Qi, true, Gb, false, Ab); /* G = Qi A */
    vdi__vm_mul(d, 1, Gb, false, A, true, Qb);
    if (c->din[1].data) vdi__vm_add(dd, 1, Ab, (double *)c->din[1].data);
    if (c->din[2].data) vdi__vm_add(dd, 1, Qb, (double *)c->din[2].data);
    if (c->din[3].data) vdi__vm_add(dd, 1, Pb, (double *)c->din[3].data);
    if (c->din[4].data) vdi__vm_add(d, 1, xb, (double *)c->din[4].data);
    return VDI_OK;
}

VDI__DEF vdi_var vdi_var_lds_energy(vdi_tape *t, const vdi_lds_vars *p, vdi_var m, vdi_var S, vdi_var O, const vdi_trial_info *info) {
    static const char where[] = "vdi_var_lds_energy";
    int64_t d = vdi_var_dim(t, p->A, 0), shape[2];
    vdi_custom_desc desc = VDI__ZERO;
    vdi_var in[VDI_CUSTOM_MAX], r = vdi_var_none();
    if (d < 1) return r;
    bool samples = vdi_var_ndim(t, m) == 4;
    vdi__lds_note *note = vdi__lds_remember(t, where, info, p->mid, d);
    if (!note) return r;
    in[0] = m, in[1] = p->A, in[2] = p->Qi, in[3] = p->Q0i, in[4] = p->x0;
    desc.inputs = 5;
    note->has_S = vdi_var_ok(S), note->has_c = vdi_var_ok(p->c), note->has_g = samples && vdi_var_ok(p->g);
    if (note->has_S) in[desc.inputs++] = S;
    if (note->has_S && info->T > 1) in[desc.inputs++] = O;
    if (note->has_c) in[desc.inputs++] = p->c;
    if (note->has_g) in[desc.inputs++] = p->g;
    shape[0] = samples ? vdi_var_dim(t, m, 0) : info->trials, shape[1] = info->trials;
    vdi_tensor out = vdi_tensor_view(NULL, VDI_F64, samples ? 2 : 1, shape);
    desc.name = where, desc.outputs = 1, desc.input = in, desc.output = &out, desc.user = note;
    desc.saved_bytes = (size_t)(2 * d * d + d) * sizeof(double), desc.scratch_bytes = (size_t)(5 * d * d + 3 * d) * sizeof(double);
    desc.forward = vdi__energy_forward, desc.backward = vdi__energy_backward;
    (void)vdi_var_custom(t, &desc, &r);
    return r;
}

/* A constant (B) on the tape, one number a trial. */
typedef double vdi__per_trial_fn(const vdi_trial_info *info, int64_t b, double x);
VDI__FN double vdi__per_trial_steps(const vdi_trial_info *info, int64_t b, double x) { return x * (double)(info->length[b] - 1); }
VDI__FN double vdi__per_trial_length(const vdi_trial_info *info, int64_t b, double x) { return x * (double)info->length[b]; }
VDI__FN double vdi__per_trial_start(const vdi_trial_info *info, int64_t b, double x) { return x * (double)info->start[b]; }
VDI__FN double vdi__per_trial_middle(const vdi_trial_info *info, int64_t b, double x) { return info->start[b] ? 0 : x; }
VDI__FN vdi_var vdi__per_trial(vdi_tape *t, const vdi_trial_info *info, vdi__per_trial_fn *fn, double x) {
    double *v = (double *)vdi__tape_payload(t, "vdi_vilds", (size_t)info->trials * sizeof *v);
    if (!v) return vdi_var_none();
    for (int64_t b = 0; b < info->trials; b++) v[b] = fn(info, b, x);
    return vdi_tape_constant(t, vdi_tensor_1d(v, VDI_F64, info->trials));
}

/* sum over the factors of p(z) of log det of the precision, less T d log 2 pi if `constants`: (B) */
VDI__FN vdi_var vdi__lds_log_dets(vdi_tape *t, const vdi_lds_vars *p, const vdi_trial_info *info, int64_t d, bool constants) {
    vdi_var r = vdi_var_add(t, vdi_var_mul(t, p->ld, vdi__per_trial(t, info, vdi__per_trial_steps, 1)),
                            vdi_var_mul(t, p->ld0, vdi__per_trial(t, info, vdi__per_trial_start, 1)));
    if (p->mid) r = vdi_var_add(t, r, vdi__per_trial(t, info, vdi__per_trial_middle, p->mid[d * d]));
    return constants ? vdi_var_add(t, r, vdi__per_trial(t, info, vdi__per_trial_length, -(double)d * VDI_LOG_2PI)) : r;
}

VDI__DEF vdi_var vdi_var_lds_log_prob(vdi_tape *t, const vdi_lds_vars *p, vdi_var z, const vdi_trial_info *info) {
    vdi_var e = vdi_var_lds_energy(t, p, z, vdi_var_none(), vdi_var_none(), info);
    return vdi_var_mul_scalar(t, vdi_var_sub(t, vdi__lds_log_dets(t, p, info, vdi_var_dim(t, p->A, 0), true), e), 0.5);
}

/* ======== q: product ======================================================================================================== */

VDI__FN int64_t vdi__product_outputs(int64_t d) { return d + d * d; }
VDI__FN void vdi__product_start(int64_t d, double *bias) {
    for (int64_t i = 0; i < d; i++) bias[d + i * d + i] = 0.5;
}

/* inputs: out A Qi Q0i x0 [c]; outputs: D k [E]. out holds h (d) and R (d,d) of each bin. With `natural` R is Lambda itself. */
VDI__FN vdi_status vdi__product_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    int64_t d = c->in[1].shape[0], T = n->T, dd = d * d, B = n->trials;
    const double *o = (const double *)c->in[0].data, *A = (const double *)c->in[1].data, *Qi = (const double *)c->in[2].data;
    const double *P0 = (const double *)c->in[3].data, *x0 = (const double *)c->in[4].data,
                 *in = n->has_c ? (const double *)c->in[5].data : NULL;
    double *D = (double *)c->out[0].data, *k = (double *)c->out[1].data, *E = T > 1 ? (double *)c->out[2].data : NULL;
    double *G = (double *)c->saved, *H = G + dd;
    (void)err;
    memset(G, 0, (size_t)(2 * dd) * sizeof *G);
    vdi__vm_mul(d, 1, Qi, false, A, false, G);
    vdi__vm_mul(d, 1, A, true, G, false, H);
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < T; t++) {
            int64_t i = b * T + t;
            const double *h = o + i * (d + dd), *R = h + d, *P = t ? Qi : n->start[b] ? P0 : n->mid;
            double *Di = D + i * dd, *ki = k + i * d;
            bool more = t + 1 < n->length[b];
            for (int64_t j = 0; j < dd; j++) Di[j] = P[j] + (more ? H[j] : 0);
            if (n->has_S) vdi__vm_add(dd, 1, R, Di);
            else vdi__vm_square(d, R, Di);
            memcpy(ki, h, (size_t)d * sizeof *ki);
            if (!t && n->start[b]) vdi__vm_apply(d, 1, P, false, x0, ki);
            if (t && in) vdi__vm_apply(d, 1, P, false, in + i * d, ki);
            if (more && in) vdi__vm_apply(d, -1, G, true, in + (i + 1) * d, ki);
            if (t + 1 < T)
                for (int64_t j = 0; j < dd; j++) E[(b * (T - 1) + t) * dd + j] = -G[j];
        }
    return VDI_OK;
}
VDI__FN vdi_status vdi__product_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    int64_t d = c->in[1].shape[0], T = n->T, dd = d * d, B = n->trials;
    const double *o = (const double *)c->in[0].data, *A = (const double *)c->in[1].data, *Qi = (const double *)c->in[2].data;
    const double *P0 = (const double *)c->in[3].data, *x0 = (const double *)c->in[4].data,
                 *in = n->has_c ? (const double *)c->in[5].data : NULL;
    const double *Db = (const double *)c->dout[0].data, *kb = (const double *)c->dout[1].data,
                 *Eb = T > 1 ? (const double *)c->dout[2].data : NULL;
    const double *G = (const double *)c->saved;
    double *ob = (double *)c->din[0].data, *inb = n->has_c ? (double *)c->din[5].data : NULL;
    double *w = (double *)vdi_tape_scratch(c->tape, (size_t)(6 * dd + d) * sizeof *w);
    (void)err;
    if (!w) return VDI_OK;
    memset(w, 0, (size_t)(6 * dd + d) * sizeof *w);
    double *Ab = w, *Qb = w + dd, *Gb = w + 2 * dd, *Hb = w + 3 * dd, *Pb = w + 4 * dd, *sym = w + 5 * dd, *xb = w + 6 * dd;
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < n->length[b]; t++) {
            int64_t i = b * T + t;
            const double *R = o + i * (d + dd) + d, *P = t ? Qi : P0;
            double *bar = t ? Qb : n->start[b] ? Pb : NULL;
            bool more = t + 1 < n->length[b];
            if (Db) {
                const double *Di = Db + i * dd;
                if (bar) vdi__vm_add(dd, 1, Di, bar);
                if (more) vdi__vm_add(dd, 1, Di, Hb);
                if (ob && n->has_S) vdi__vm_add(dd, 1, Di, ob + i * (d + dd) + d);
                else if (ob) {
                    for (int64_t r = 0; r < d; r++)
                        for (int64_t s = 0; s < d; s++) sym[r * d + s] = Di[r * d + s] + Di[s * d + r];
                    vdi__vm_mul(d, 1, sym, false, R, false, ob + i * (d + dd) + d);
                }
            }
            if (kb) {
                const double *ki = kb + i * d;
                if (ob) vdi__vm_add(d, 1, ki, ob + i * (d + dd));
                if (!t && bar) vdi__vm_outer(d, 1, ki, x0, Pb), vdi__vm_apply(d, 1, P0, true, ki, xb);
                if (t && in) vdi__vm_outer(d, 1, ki, in + i * d, Qb);
                if (t && inb) vdi__vm_apply(d, 1, P, true, ki, inb + i * d);
                if (more && in) vdi__vm_outer(d, -1, in + (i + 1) * d, ki, Gb);
                if (more && inb) vdi__vm_apply(d, -1, G, false, ki, inb + (i + 1) * d);
            }
            if (Eb && more) vdi__vm_add(dd, -1, Eb + (b * (T - 1) + t) * dd, Gb);
        }
    vdi__vm_mul(d, 1, G, false, Hb, true, Ab);
    vdi__vm_mul(d, 1, A, false, Hb, false, Gb);
    vdi__vm_mul(d, 1, Qi, true, Gb, false, Ab);
    vdi__vm_mul(d, 1, Gb, false, A, true, Qb);
    if (c->din[1].data) vdi__vm_add(dd, 1, Ab, (double *)c->din[1].data);
    if (c->din[2].data) vdi__vm_add(dd, 1, Qb, (double *)c->din[2].data);
    if (c->din[3].data) vdi__vm_add(dd, 1, Pb, (double *)c->din[3].data);
    if (c->din[4].data) vdi__vm_add(d, 1, xb, (double *)c->din[4].data);
    return VDI_OK;
}

VDI__FN vdi_status vdi__product(vdi_tape *t, vdi_var out, const vdi_lds_vars *p, const vdi_trial_info *info, bool natural, vdi_var *D,
                                vdi_var *E, vdi_var *k) {
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
    note->has_S = natural, note->has_c = vdi_var_ok(p->c);
    in[0] = out, in[1] = p->A, in[2] = p->Qi, in[3] = p->Q0i, in[4] = p->x0, in[5] = p->c;
    shape[0] = vdi_tensor_4d(NULL, VDI_F64, B, T, d, d);
    shape[1] = vdi_tensor_3d(NULL, VDI_F64, B, T, d);
    shape[2] = vdi_tensor_4d(NULL, VDI_F64, B, T - 1, d, d);
    desc.name = where, desc.inputs = note->has_c ? 6 : 5, desc.outputs = T > 1 ? 3 : 2, desc.input = in, desc.output = shape,
    desc.user = note;
    desc.saved_bytes = (size_t)(2 * d * d) * sizeof(double), desc.scratch_bytes = (size_t)(6 * d * d + d) * sizeof(double);
    desc.forward = vdi__product_forward, desc.backward = vdi__product_backward;
    vdi_status status = vdi_var_custom(t, &desc, r);
    *D = r[0], *k = r[1], *E = r[2];
    return status;
}
VDI__FN vdi_status vdi__product_build(vdi_tape *t, vdi_var out, const vdi_lds_vars *p, const vdi_trial_info *info, vdi_var *D, vdi_var *E,
                                      vdi_var *mean, bool *is_mean) {
    *is_mean = false;
    return vdi__product(t, out, p, info, false, D, E, mean);
}

/* ======== q: direct and mean field ========================================================================================== */

VDI__FN int64_t vdi__direct_outputs(int64_t d) { return d + 2 * d * d; }
VDI__FN void vdi__direct_start(int64_t d, double *bias) {
    for (int64_t i = 0; i < d; i++) bias[d + i * d + i] = 1;
}
/* out columns [from, from + d d) as (B,T,d,d) */
VDI__FN vdi_var vdi__block_of(vdi_tape *t, vdi_var out, int64_t from, int64_t d, const vdi_trial_info *info) {
    int64_t shape[4];
    shape[0] = info->trials, shape[1] = info->T, shape[2] = shape[3] = d;
    return vdi_var_reshape(t, vdi_var_slice(t, out, 2, from, 1, d * d), 4, shape);
}
/* c I added to each block */
VDI__FN vdi_var vdi__add_identity(vdi_tape *t, vdi_var D, int64_t d, double c) {
    double *eye = (double *)vdi__tape_payload(t, "vdi_vilds", (size_t)(d * d) * sizeof *eye);
    if (!eye) return vdi_var_none();
    for (int64_t i = 0; i < d * d; i++) eye[i] = i / d == i % d ? c : 0;
    return vdi_var_add(t, D, vdi_tape_constant(t, vdi_tensor_2d(eye, VDI_F64, d, d)));
}
/* J = F F' with F_tt = a_t, F_{t+1,t} = b_t: D_t = a_t a_t' + b_{t-1} b_{t-1}' + 1e-6 I, E_t = b_t a_t'. */
VDI__FN vdi_status vdi__direct_build(vdi_tape *t, vdi_var out, const vdi_lds_vars *p, const vdi_trial_info *info, vdi_var *D, vdi_var *E,
                                     vdi_var *mean, bool *is_mean) {
    int64_t d = vdi_var_dim(t, p->A, 0), T = info->T;
    *is_mean = true;
    if (d < 1) return vdi_tape_status(t, NULL);
    *mean = vdi_var_slice(t, out, 2, 0, 1, d);
    vdi_var a = vdi__block_of(t, out, d, d, info);
    *D = vdi_var_matmul(t, a, a, VDI_GEMM_TB);
    *E = vdi_var_none();
    if (T > 1) {
        int64_t shape[4];
        vdi_var b = vdi_var_slice(t, vdi__block_of(t, out, d + d * d, d, info), 1, 0, 1, T - 1), parts[2];
        shape[0] = info->trials, shape[1] = 1, shape[2] = shape[3] = d;
        parts[0] = vdi_tape_constant_copy(t, vdi_tensor_broadcast_to(vdi_tape_value(t, vdi_tape_full(t, 0, NULL, 0)), 4, shape), VDI_F64);
        parts[1] = vdi_var_matmul(t, b, b, VDI_GEMM_TB);
        *D = vdi_var_add(t, *D, vdi_var_concat(t, parts, 2, 1));
        *E = vdi_var_matmul(t, b, vdi_var_slice(t, a, 1, 0, 1, T - 1), VDI_GEMM_TB);
    }
    *D = vdi__add_identity(t, *D, d, 1e-6);
    return vdi_tape_status(t, NULL);
}

VDI__FN int64_t vdi__meanfield_outputs(int64_t d) { return d + d * d; }
/* D_t = R_t R_t' + 1e-6 I, here a precision. */
VDI__FN vdi_status vdi__meanfield_build(vdi_tape *t, vdi_var out, const vdi_lds_vars *p, const vdi_trial_info *info, vdi_var *D, vdi_var *E,
                                        vdi_var *mean, bool *is_mean) {
    int64_t d = vdi_var_dim(t, p->A, 0), shape[4];
    *is_mean = true;
    if (d < 1) return vdi_tape_status(t, NULL);
    *mean = vdi_var_slice(t, out, 2, 0, 1, d);
    vdi_var r = vdi__block_of(t, out, d, d, info);
    *D = vdi__add_identity(t, vdi_var_matmul(t, r, r, VDI_GEMM_TB), d, 1e-6);
    *E = vdi_var_none();
    shape[0] = info->trials, shape[1] = info->T - 1, shape[2] = shape[3] = d;
    if (info->T > 1)
        *E = vdi_tape_constant_copy(t, vdi_tensor_broadcast_to(vdi_tape_value(t, vdi_tape_full(t, 0, NULL, 0)), 4, shape), VDI_F64);
    return vdi_tape_status(t, NULL);
}

VDI__DEF const vdi_vilds_family_ops *vdi_vilds_family_of(vdi_vilds_family kind) {
    static const vdi_vilds_family_ops family[3] = {
        {"product", vdi__product_outputs, vdi__product_start, vdi__product_build, true},
        {"direct", vdi__direct_outputs, vdi__direct_start, vdi__direct_build, false},
        {"meanfield", vdi__meanfield_outputs, vdi__direct_start, vdi__meanfield_build, false},
    };
    return (unsigned)kind < 3 ? &family[kind] : NULL;
}

/* ======== sums over trials, and counts ====================================================================================== */

/* Rows of a batch: trial b has rows first[b] .. first[b] + length[b] of `rows`, for each sample. */
typedef struct vdi__vrows {
    int64_t samples, trials, rows, n;
    const int64_t *first, *length;
    const void *y, *mask; /* (rows,n) counts, times the mask; and the mask, or NULL */
} vdi__vrows;

/* x (S rows, n) to (S,B): the sum of everything in a trial. */
VDI__FN vdi_status vdi__trial_sums_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__vrows *r = (const vdi__vrows *)user;
    vdi_dtype dtype = c->in[0].dtype;
    size_t row = (size_t)r->n * vdi_dtype_size(dtype);
    (void)err;
    for (int64_t s = 0; s < r->samples; s++)
        for (int64_t b = 0; b < r->trials; b++)
            ((double *)c->out[0].data)[s * r->trials + b] =
                vdi_sum(dtype, (size_t)(r->length[b] * r->n), (const char *)c->in[0].data + (size_t)(s * r->rows + r->first[b]) * row);
    return VDI_OK;
}
VDI__FN vdi_status vdi__trial_sums_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__vrows *r = (const vdi__vrows *)user;
    vdi_dtype dtype = c->in[0].dtype;
    (void)err;
    if (!c->din[0].data || !c->dout[0].data) return VDI_OK;
    for (int64_t s = 0; s < r->samples; s++)
        for (int64_t b = 0; b < r->trials; b++) {
            double g = ((const double *)c->dout[0].data)[s * r->trials + b];
            int64_t at = (s * r->rows + r->first[b]) * r->n;
            for (int64_t i = 0; i < r->length[b] * r->n; i++)
                if (dtype == VDI_F32) ((float *)c->din[0].data)[at + i] += (float)g;
                else ((double *)c->din[0].data)[at + i] += g;
        }
    return VDI_OK;
}

/* Poisson counts with log rate eta held below 8, without log y!: y eta - exp(eta), its derivative is kept in place of the rate. */
#define VDI__POISSON_TOP 8.0
VDI__FN vdi_status vdi__poisson_sums_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__vrows *r = (const vdi__vrows *)user;
    vdi_dtype dtype = c->in[0].dtype;
    size_t row = (size_t)r->n * vdi_dtype_size(dtype);
    (void)err;
    for (int64_t s = 0; s < r->samples; s++)
        for (int64_t b = 0; b < r->trials; b++) {
            size_t n = (size_t)(r->length[b] * r->n), at = (size_t)(s * r->rows + r->first[b]) * row, from = (size_t)r->first[b] * row;
            const char *eta = (const char *)c->in[0].data + at, *y = (const char *)r->y + from, *mask = (const char *)r->mask + from;
            char *keep = (char *)c->saved + at;
            double top = vdi_max(dtype, n, eta), sum;
            bool held = !(top <= VDI__POISSON_TOP);
            if (held) vdi_clip(dtype, n, -1e30, VDI__POISSON_TOP, eta, keep);
            sum = vdi_dot(dtype, n, y, held ? keep : eta);
            vdi_exp(dtype, n, held ? keep : eta, keep);
            if (r->mask) vdi_binary(dtype, VDI_MUL, n, keep, 1, mask, 1, keep);
            sum -= vdi_sum(dtype, n, keep);
            vdi_axpby(dtype, n, 1, y, -1, keep);
            for (size_t i = 0; held && i < n; i++)
                if (vdi_dtype_load(dtype, eta, (int64_t)i) > VDI__POISSON_TOP) vdi_dtype_store(dtype, keep, (int64_t)i, 0);
            ((double *)c->out[0].data)[s * r->trials + b] = sum;
        }
    return VDI_OK;
}
VDI__FN vdi_status vdi__poisson_sums_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__vrows *r = (const vdi__vrows *)user;
    vdi_dtype dtype = c->in[0].dtype;
    size_t row = (size_t)r->n * vdi_dtype_size(dtype);
    (void)err;
    if (!c->din[0].data || !c->dout[0].data) return VDI_OK;
    for (int64_t s = 0; s < r->samples; s++)
        for (int64_t b = 0; b < r->trials; b++) {
            size_t at = (size_t)(s * r->rows + r->first[b]) * row;
            vdi_axpby(dtype, (size_t)(r->length[b] * r->n), ((const double *)c->dout[0].data)[s * r->trials + b],
                      (const char *)c->saved + at, 1, (char *)c->din[0].data + at);
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
    desc.name = "vdi_vilds_sums", desc.inputs = desc.outputs = 1, desc.input = &x, desc.output = &out, desc.user = own;
    desc.forward = poisson ? vdi__poisson_sums_forward : vdi__trial_sums_forward;
    desc.backward = poisson ? vdi__poisson_sums_backward : vdi__trial_sums_backward;
    desc.saved_bytes = poisson ? vdi_tensor_bytes(vdi_tape_value(t, x)) : 0;
    (void)vdi_var_custom(t, &desc, &r);
    return r;
}
#endif
