/* model/vilds/prior.h - the linear dynamical prior of the latents, as operations of the tape
 *
 * Do this:
 *     vdi_var Qi, ld;
 *     vdi_var_precision_root(t, q, &Qi, &ld);   Q^{-1} and its log determinant from free parameters
 *     vdi_var e = vdi_var_lds_energy(t, &prior, z, none, none, &info);   -2 log p(z)
 *
 * For those who write a log p(y, z) of their own: the same prior that the ready parts use. The
 * equations: docs/guide/vilds.md. Everything here is float64 and O(T d^3); shapes are checked by
 * the model, not again.
 */
#ifndef VDI_MODEL_VILDS_PRIOR_H
#define VDI_MODEL_VILDS_PRIOR_H
#include "matrix.h"
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

#endif /* VDI_MODEL_VILDS_PRIOR_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_PRIOR_C)
#define VDI_MODEL_VILDS_PRIOR_C

/* ======== the precision of a covariance ======================================================= */

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

/* With G = Qi A and H = A'G as operands of their own: their cotangents into those of A and Qi. */
VDI__FN void vdi__lds_roots_back(int64_t d, const double *A, const double *Qi, const double *G,
                                 double *Gb, const double *Hb, double *Ab, double *Qb) {
    if (Ab) vdi__vm_mul(d, 1, G, false, Hb, true, Ab);
    vdi__vm_mul(d, 1, A, false, Hb, false, Gb);
    if (Ab) vdi__vm_mul(d, 1, Qi, true, Gb, false, Ab);
    if (Qb) vdi__vm_mul(d, 1, Gb, false, A, true, Qb);
}

/* Where the cotangents of G = Qi A and H = A'G are gathered, and scratch of an item. */
typedef struct vdi__energy_work {
    double *Gb, *Hb, *sum, *w, *r;
} vdi__energy_work;

/* Item i: what its residuals give back. */
VDI__FN void vdi__energy_back_means(const vdi__energy *e, const vdi__lds_note *n, int64_t i,
                                    double g, const vdi__energy_work *k) {
    const int64_t d = e->d, T = e->T, b = i % n->trials, first = i * T * d;
    const int64_t length = n->length[b], steps = length - 1;
    const size_t D = (size_t)d, S = (size_t)steps;
    const double *m = e->m + first, *residual = e->r + first;
    double *mb = e->mb ? e->mb + first : NULL, *w = k->w, *r = k->r;
    for (int64_t j = 0; j < length * d; j++) {
        w[j] = 2 * g * e->w[first + j];
        r[j] = g * residual[j];
    }
    if (mb) vdi__vm_add(length * d, 1, w, mb);
    if (n->start[b] && e->xb) vdi__vm_add(d, -1, w, e->xb);
    if (n->start[b] && e->Pb) vdi__vm_outer(d, 1, r, residual, e->Pb);
    if (steps == 0) return;
    if (e->cb) vdi__vm_add(steps * d, -1, w + d, e->cb + (b * T + 1) * d);
    if (e->gb) vdi__vm_add(steps * d, -1, w + d, e->gb + first);
    const int add = VDI_GEMM_ACC, transposed = VDI_GEMM_TA | VDI_GEMM_ACC;
    if (e->Qb) vdi_gemm(VDI_F64, transposed, D, D, S, r + d, D, residual + d, D, e->Qb, D);
    for (int64_t j = d; j < length * d; j++)
        w[j] = -w[j];
    if (e->Ab) vdi_gemm(VDI_F64, transposed, D, D, S, w + d, D, m, D, e->Ab, D);
    if (mb) vdi_gemm(VDI_F64, add, S, D, D, w + d, D, e->A, D, mb, D);
}

/* Item i: what its covariances give back. */
VDI__FN void vdi__energy_back_covariances(const vdi__energy *e, const vdi__lds_note *n, int64_t i,
                                          double g, const vdi__energy_work *k) {
    const int64_t dd = e->dd, T = e->T, b = i % n->trials, steps = n->length[b] - 1;
    const double *S = e->S + i * T * dd, *P = n->start[b] ? e->P0 : n->mid;
    double *Sb = e->Sb ? e->Sb + i * T * dd : NULL, *sum = k->sum;
    if (n->start[b] && e->Pb) vdi__vm_add(dd, g, S, e->Pb);
    vdi__vm_sum(dd, S, 1, steps + 1, sum);
    if (e->Qb) vdi__vm_add(dd, g, sum, e->Qb);
    vdi__vm_sum(dd, S, 0, steps, sum);
    vdi__vm_add(dd, g, sum, k->Hb);
    if (Sb) vdi__vm_add(dd, g, P, Sb);
    if (Sb && steps > 0) {
        for (int64_t j = 0; j < dd; j++)
            sum[j] = e->H[j] + e->Qi[j];
        vdi__vm_add(dd, g, e->H, Sb);
        vdi__vm_spread(dd, steps - 1, g, sum, Sb + dd);
        vdi__vm_add(dd, g, e->Qi, Sb + steps * dd);
    }
    if (!e->O) return;
    vdi__vm_sum(dd, e->O + i * (T - 1) * dd, 0, steps, sum);
    vdi__vm_add(dd, -2 * g, sum, k->Gb);
    if (e->Ob) vdi__vm_spread(dd, steps, -2 * g, e->G, e->Ob + i * (T - 1) * dd);
}

VDI__FN vdi_status vdi__energy_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__lds_note *n = (const vdi__lds_note *)user;
    vdi__energy e = vdi__energy_open(c, n);
    vdi__energy_work k;
    const double *g = (const double *)c->dout[0].data;
    const size_t bytes = (size_t)(3 * e.dd + 2 * e.T * e.d) * sizeof(double);
    k.Gb = (double *)vdi_tape_scratch(c->tape, bytes);
    (void)err;
    if (!g || !k.Gb) return VDI_OK;
    k.Hb = k.Gb + e.dd;
    k.sum = k.Hb + e.dd;
    k.w = k.sum + e.dd;
    k.r = k.w + e.T * e.d;
    memset(k.Gb, 0, (size_t)(2 * e.dd) * sizeof *k.Gb);
    for (int64_t i = 0; i < e.items; i++) {
        vdi__energy_back_means(&e, n, i, g[i], &k);
        if (e.S) vdi__energy_back_covariances(&e, n, i, g[i], &k);
    }
    vdi__lds_roots_back(e.d, e.A, e.Qi, e.G, k.Gb, k.Hb, e.Ab, e.Qb);
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
#endif
