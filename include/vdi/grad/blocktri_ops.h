/* grad/blocktri_ops.h - Gaussians over time on the tape: block-tridiagonal factor, log-determinant,
 * solve, sample, marginals
 *
 * Do this:
 *     vdi_blocktri_var f = vdi_var_blocktri_factor(t, D, E, NULL);   J: B trials, once
 *     vdi_var m = vdi_var_blocktri_solve(t, f, h);                   mean J^{-1} h
 *     vdi_var z = vdi_var_add(t, m, vdi_var_blocktri_sample(t, f, eps));   a sample, eps ~ N(0,I)
 *     vdi_var logdet = vdi_var_blocktri_logdet(t, f);                (B)
 *     vdi_var S, O;
 *     vdi_var_blocktri_marginals(t, f, &S, &O);                      Cov(z_t), Cov(z_{t+1}, z_t)
 *
 * Shapes as in linalg/blocktri.h: D (B,T,d,d), E (B,T-1,d,d) below the diagonal, vectors (B,T,d) or
 * (S,B,T,d). Each of these adds its own cotangents of D and E (D's symmetric, E's for the stored
 * lower block) by the adjoints of linalg/blocktri.h, in O(T d^3). A block that is not positive
 * definite becomes the tape's error, with trial and block in its message.
 */
#ifndef VDI_GRAD_BLOCKTRI_OPS_H
#define VDI_GRAD_BLOCKTRI_OPS_H
#include "../linalg/blocktri_adjoint.h"
#include "broadcast.h"
#include "tape.h"

/** A factorised batch on a tape; good until reset. */
typedef struct vdi_blocktri_var {
    vdi_var factor; /**< a node without a value */
} vdi_blocktri_var;

/** Factorise: D (B,T,d,d), E (B,T-1,d,d) (the null variable where T is 1); `lengths` (B) blocks
 * that count per trial, or NULL for
 *  all (it is copied). */
VDI_API vdi_blocktri_var vdi_var_blocktri_factor(vdi_tape *t, vdi_var D, vdi_var E,
                                                 const int64_t *lengths);
/** log det J for each trial, (B). */
VDI_API vdi_var vdi_var_blocktri_logdet(vdi_tape *t, vdi_blocktri_var f);
/** J^{-1} h, h (B,T,d) or (S,B,T,d). */
VDI_API vdi_var vdi_var_blocktri_solve(vdi_tape *t, vdi_blocktri_var f, vdi_var h);
/** L^{-T} eps, eps (B,T,d) or (S,B,T,d): a sample of N(0, J^{-1}) from standard normals. */
VDI_API vdi_var vdi_var_blocktri_sample(vdi_tape *t, vdi_blocktri_var f, vdi_var eps);
/** S (B,T,d,d) and O (B,T-1,d,d): the blocks of J^{-1} on and under the diagonal. O may be NULL,
 * and is the null variable if T is 1. */
VDI_API vdi_status vdi_var_blocktri_marginals(vdi_tape *t, vdi_blocktri_var f, vdi_var *S,
                                              vdi_var *O);
/** J x from the blocks that were factorised, x (B,T,d) or (S,B,T,d). */
VDI_API vdi_var vdi_var_blocktri_matvec(vdi_tape *t, vdi_blocktri_var f, vdi_var x);

#endif /* VDI_GRAD_BLOCKTRI_OPS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_BLOCKTRI_OPS_C)
#define VDI_GRAD_BLOCKTRI_OPS_C

typedef struct vdi__btri_node {
    vdi_blocktri bt;
    vdi_blocktri_desc desc;
    vdi__node *D, *E;
    vdi__node *S, *O; /* of a marginals hub; of a factor: those that were asked for, or NULL */
    const int64_t *lengths;
} vdi__btri_node;

VDI__DEF vdi_blocktri_var vdi_var_blocktri_factor(vdi_tape *t, vdi_var Dv, vdi_var Ev,
                                                  const int64_t *lengths) {
    static const char where[] = "vdi_var_blocktri_factor";
    char text[VDI_SHAPE_TEXT];
    vdi_blocktri_var r;
    vdi_error err;
    vdi__node *D = vdi__arg(t, Dv, where), *E = NULL;
    r.factor = vdi_var_none();
    if (!D) return r;
    if (D->ndim != 4 || D->shape[2] != D->shape[3] || D->shape[1] < 1 || D->shape[0] < 1 ||
        D->shape[2] < 1) {
        (void)vdi_tape_fail(t, VDI_ERR_SHAPE, where,
                            "%s: D is %s, expected (B,T,d,d) with no extent 0", where,
                            vdi__node_text(D, text));
        return r;
    }
    if (D->shape[1] > 1) {
        E = vdi__arg(t, Ev, where);
        if (!E || !vdi__same_dtype(t, where, D, E)) return r;
        if (E->ndim != 4 || E->shape[0] != D->shape[0] || E->shape[1] != D->shape[1] - 1 ||
            E->shape[2] != D->shape[2] || E->shape[3] != D->shape[2]) {
            (void)vdi__shapes_differ(t, where, D, E, "expected D (B,T,d,d) and E (B,T-1,d,d)");
            return r;
        }
    }
    size_t lengths_bytes = lengths ? (size_t)D->shape[0] * sizeof *lengths : 0;
    vdi__btri_node *p = (vdi__btri_node *)vdi__tape_payload(t, where, sizeof *p + lengths_bytes);
    if (!p) return r;
    memset(p, 0, sizeof *p);
    if (lengths) p->lengths = (int64_t *)memcpy(p + 1, lengths, lengths_bytes);
    p->D = D;
    p->E = E;
    p->desc.dtype = (vdi_dtype)D->dtype;
    p->desc.trials = D->shape[0];
    p->desc.T = D->shape[1];
    p->desc.d = D->shape[2];
    p->desc.lengths = p->lengths;
    p->desc.pool = t->desc.pool;
    size_t size = vdi_blocktri_memsize(&p->desc);
    if (size == SIZE_MAX) {
        (void)vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "%s: D is %s, or a length is outside 0..T",
                            where, vdi__node_text(D, text));
        return r;
    }
    void *mem = vdi__tape_data(t, where, size);
    vdi__node *n = mem ? vdi__node_like(t, where, D, false) : NULL;
    if (!n) return r;
    n->value = NULL;
    n->count = 0;
    n->extra = p;
    n->flags = (uint8_t)((D->flags | (E ? E->flags : 0)) & VDI__NODE_GRAD);
    if (!t->measure) {
        vdi_status status = vdi_blocktri_init(&p->bt, &p->desc, mem, size, &err);
        if (status >= 0) status = vdi_blocktri_factor(&p->bt, D->value, E ? E->value : NULL, &err);
        if (status < 0) {
            (void)vdi_tape_fail(t, status, where, "%s", err.message);
            return r;
        }
    }
    r.factor = vdi__var_of(t, n);
    return r;
}

/* What the adjoints of one factor work with: the cotangents of D and E, where nobody wants one in
 * scratch memory. */
typedef struct vdi__btri_bars {
    void *D, *E, *work;
    bool ok;
} vdi__btri_bars;

VDI__FN vdi__btri_bars vdi__btri_open(vdi_tape *t, const vdi__btri_node *p, vdi__tape_mark *mark,
                                      vdi__node *other, void **other_bar) {
    static const char where[] = "vdi_var_blocktri";
    vdi__btri_bars b;
    bool wants_D = vdi__wants(p->D);
    bool wants_E = vdi__wants(p->E);
    bool scratch_D = wants_E && !wants_D;
    bool scratch_E = wants_D && p->E && !wants_E;
    b.D = wants_D ? vdi__grad_zeroed(t, p->D) : NULL;
    b.E = wants_E ? vdi__grad_zeroed(t, p->E) : NULL;
    if (other_bar) *other_bar = vdi__wants(other) ? vdi__grad_zeroed(t, other) : NULL;
    *mark = vdi__scratch_begin(t);
    if (scratch_D) b.D = vdi__tape_data(t, where, vdi__node_bytes(p->D));
    if (scratch_E) b.E = vdi__tape_data(t, where, vdi__node_bytes(p->E));
    b.work = vdi__tape_data(t, where, vdi_blocktri_adjoint_worksize(&p->desc));
    b.ok = t->status >= 0 && !t->measure;
    if (b.ok && scratch_D) memset(b.D, 0, vdi__node_bytes(p->D));
    if (b.ok && scratch_E) memset(b.E, 0, vdi__node_bytes(p->E));
    return b;
}

VDI__FN void vdi__btri_logdet_back(vdi_tape *t, vdi__node *n) {
    vdi__btri_node *p = (vdi__btri_node *)n->in[0]->extra;
    vdi__tape_mark m;
    vdi__btri_bars b = vdi__btri_open(t, p, &m, NULL, NULL);
    if (b.ok && p->S) { /* its gradient is the marginals, and those are there already */
        const size_t block = (size_t)(p->desc.d * p->desc.d);
        const size_t size = vdi_dtype_size(p->desc.dtype);
        const size_t T = (size_t)p->desc.T;
        for (int64_t i = 0; i < p->desc.trials; i++) {
            const double bar = vdi_dtype_load(p->desc.dtype, n->grad, i);
            const size_t at = (size_t)i * T * block * size;
            const size_t below = (size_t)i * (T - 1) * block * size;
            if (b.D) {
                t->k[n->dtype]->axpby(T * block, bar, (char *)p->S->value + at, 1,
                                      (char *)b.D + at);
            }
            if (b.E && p->O) {
                t->k[n->dtype]->axpby((T - 1) * block, 2 * bar, (char *)p->O->value + below, 1,
                                      (char *)b.E + below);
            }
        }
    } else if (b.ok) {
        vdi_blocktri_logdet_adjoint(&p->bt, n->grad, b.work, b.D, b.E);
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_blocktri_logdet(vdi_tape *t, vdi_blocktri_var f) {
    static const char where[] = "vdi_var_blocktri_logdet";
    vdi__node *factor = vdi__arg(t, f.factor, where);
    if (!factor) return vdi_var_none();
    vdi__btri_node *p = (vdi__btri_node *)factor->extra;
    vdi__node *n = vdi__node_shaped(t, where, p->desc.dtype, 1, &p->desc.trials, true);
    if (!n) return vdi_var_none();
    n->in[0] = factor;
    if (!t->measure) vdi_blocktri_logdet(&p->bt, n->value);
    return vdi__node_link(t, n, factor->flags, vdi__btri_logdet_back);
}

/* A vector argument: (B,T,d) or (S,B,T,d). The number of right-hand sides, or -1 with an error. */
VDI__FN int64_t vdi__btri_rhs(vdi_tape *t, const char *where, const vdi__node *factor,
                              const vdi__node *h) {
    const vdi__btri_node *p = (const vdi__btri_node *)factor->extra;
    int lead = h->ndim - 3;
    if (!vdi__same_dtype(t, where, p->D, h)) return -1;
    if (lead < 0 || lead > 1 || h->shape[lead] != p->desc.trials ||
        h->shape[lead + 1] != p->desc.T || h->shape[lead + 2] != p->desc.d) {
        vdi__shapes_differ(t, where, p->D, h,
                           "the vector has to be (B,T,d) or (S,B,T,d) for D (B,T,d,d)");
        return -1;
    }
    return lead ? h->shape[0] : 1;
}

VDI__FN void vdi__btri_solve_back(vdi_tape *t, vdi__node *n) {
    vdi__btri_node *p = (vdi__btri_node *)n->in[0]->extra;
    vdi__tape_mark m;
    void *bar = NULL;
    int64_t nrhs = n->ndim == 4 ? n->shape[0] : 1;
    bool factor = vdi__wants(n->in[0]);
    vdi__btri_bars b = vdi__btri_open(t, p, &m, n->in[1], &bar);
    if (b.ok && n->op == 0) {
        vdi_blocktri_solve_adjoint(&p->bt, nrhs, n->value, n->grad, b.work, bar,
                                   factor ? b.D : NULL, factor ? b.E : NULL);
    } else if (b.ok) {
        vdi_blocktri_sample_adjoint(&p->bt, nrhs, n->value, n->grad, b.work, bar,
                                    factor ? b.D : NULL, factor ? b.E : NULL);
    }
    vdi__scratch_end(t, m);
}

VDI__FN vdi_var vdi__btri_vector(vdi_tape *t, const char *where, vdi_blocktri_var f, vdi_var hv,
                                 int op) {
    vdi__node *factor = vdi__arg(t, f.factor, where), *h = vdi__arg(t, hv, where);
    int64_t nrhs = factor && h ? vdi__btri_rhs(t, where, factor, h) : -1;
    vdi__node *n = nrhs < 0 ? NULL : vdi__node_like(t, where, h, true);
    if (!n) return vdi_var_none();
    vdi__btri_node *p = (vdi__btri_node *)factor->extra;
    n->in[0] = factor;
    n->in[1] = h;
    n->op = (uint8_t)op;
    if (!t->measure && op == 0)
        vdi_blocktri_solve(&p->bt, nrhs, h->value, n->value);
    else if (!t->measure)
        vdi_blocktri_sample(&p->bt, nrhs, h->value, n->value);
    return vdi__node_link(t, n, (unsigned)(factor->flags | h->flags), vdi__btri_solve_back);
}

VDI__DEF vdi_var vdi_var_blocktri_solve(vdi_tape *t, vdi_blocktri_var f, vdi_var h) {
    return vdi__btri_vector(t, "vdi_var_blocktri_solve", f, h, 0);
}
VDI__DEF vdi_var vdi_var_blocktri_sample(vdi_tape *t, vdi_blocktri_var f, vdi_var eps) {
    return vdi__btri_vector(t, "vdi_var_blocktri_sample", f, eps, 1);
}

VDI__FN void vdi__btri_marginals_back(vdi_tape *t, vdi__node *hub) {
    vdi__btri_node *p = (vdi__btri_node *)hub->extra;
    vdi__btri_node *f = (vdi__btri_node *)hub->in[0]->extra;
    vdi__tape_mark m;
    vdi__btri_bars b = vdi__btri_open(t, f, &m, NULL, NULL);
    bool has_S = p->S->pass == t->pass;
    void *S =
        has_S ? p->S->grad : vdi__tape_data(t, "vdi_var_blocktri_marginals", vdi__node_bytes(p->S));
    if (b.ok && S) {
        if (!has_S) memset(S, 0, vdi__node_bytes(p->S));
        vdi_blocktri_marginals_adjoint(&f->bt, p->S->value, p->O ? p->O->value : NULL, S,
                                       p->O && p->O->pass == t->pass ? p->O->grad : NULL, b.work,
                                       b.D, b.E);
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_status vdi_var_blocktri_marginals(vdi_tape *t, vdi_blocktri_var f, vdi_var *S,
                                               vdi_var *O) {
    static const char where[] = "vdi_var_blocktri_marginals";
    vdi__node *factor = vdi__arg(t, f.factor, where);
    *S = vdi_var_none();
    if (O) *O = vdi_var_none();
    if (!factor) return t->status;
    vdi__btri_node *p = (vdi__btri_node *)factor->extra;
    vdi__node *hub = vdi__node_like(t, where, factor, false);
    vdi__btri_node *own = hub ? (vdi__btri_node *)vdi__tape_payload(t, where, sizeof *own) : NULL;
    if (!own) return t->status;
    memset(own, 0, sizeof *own);
    hub->in[0] = factor;
    hub->extra = own;
    (void)vdi__node_link(t, hub, factor->flags, vdi__btri_marginals_back);
    own->S = vdi__node_like(t, where, p->D, true);
    /* the adjoint reads it, wanted or not */
    if (own->S && p->E) own->O = vdi__node_like(t, where, p->E, true);
    if (t->status < 0) return t->status;
    own->S->in[0] = hub;
    if (own->O) own->O->in[0] = hub;
    if (!t->measure) vdi_blocktri_marginals(&p->bt, own->S->value, own->O ? own->O->value : NULL);
    p->S = own->S;
    p->O = own->O;
    *S = vdi__node_link(t, own->S, factor->flags, vdi__wake_back);
    if (O && own->O) *O = vdi__node_link(t, own->O, factor->flags, vdi__wake_back);
    return t->status;
}

/* y = J x:  xbar += J ybar;  Dbar_t += sym(ybar_t x_t');
 * Ebar_t += ybar_{t+1} x_t' + x_{t+1} ybar_t'. */
VDI__FN void vdi__btri_matvec_back(vdi_tape *t, vdi__node *n) {
    vdi__btri_node *p = (vdi__btri_node *)n->in[0]->extra;
    vdi__node *x = n->in[1];
    int64_t nrhs = n->ndim == 4 ? n->shape[0] : 1;
    int64_t B = p->desc.trials;
    int64_t T = p->desc.T;
    int64_t d = p->desc.d;
    void *gx = vdi__wants(x) ? vdi__grad_zeroed(t, x) : NULL;
    void *gD = vdi__wants(p->D) ? vdi__grad_zeroed(t, p->D) : NULL;
    void *gE = vdi__wants(p->E) ? vdi__grad_zeroed(t, p->E) : NULL;
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *s = gx ? vdi__tape_data(t, "vdi_var_blocktri_matvec", vdi__node_bytes(x)) : NULL;
    if (!t->measure && t->status >= 0) {
        if (gx) {
            vdi_blocktri_matvec(&p->bt, p->D->value, p->E ? p->E->value : NULL, nrhs, n->grad, s);
            t->k[n->dtype]->axpby((size_t)x->count, 1, s, 1, gx);
        }
        VDI__BOTH(n->dtype, {
            for (int64_t r = 0; r < nrhs; r++) {
                for (int64_t b = 0; b < B; b++) {
                    int64_t len = p->lengths ? p->lengths[b] : T;
                    for (int64_t k = 0; k < len; k++) {
                        const real *xs = (const real *)x->value + ((r * B + b) * T + k) * d;
                        const real *ys = (const real *)n->grad + ((r * B + b) * T + k) * d;
                        real *Db = gD ? (real *)gD + (b * T + k) * d * d : NULL;
                        real *Eb =
                            gE && k + 1 < len ? (real *)gE + (b * (T - 1) + k) * d * d : NULL;
                        for (int64_t i = 0; Db && i < d; i++) {
                            for (int64_t j = 0; j < d; j++)
                                Db[i * d + j] += (real)0.5 * (ys[i] * xs[j] + xs[i] * ys[j]);
                        }
                        for (int64_t i = 0; Eb && i < d; i++) {
                            for (int64_t j = 0; j < d; j++)
                                Eb[i * d + j] += ys[d + i] * xs[j] + xs[d + i] * ys[j];
                        }
                    }
                }
            }
        });
    }
    vdi__scratch_end(t, m);
}

VDI__DEF vdi_var vdi_var_blocktri_matvec(vdi_tape *t, vdi_blocktri_var f, vdi_var xv) {
    static const char where[] = "vdi_var_blocktri_matvec";
    vdi__node *factor = vdi__arg(t, f.factor, where), *x = vdi__arg(t, xv, where);
    int64_t nrhs = factor && x ? vdi__btri_rhs(t, where, factor, x) : -1;
    vdi__node *n = nrhs < 0 ? NULL : vdi__node_like(t, where, x, true);
    if (!n) return vdi_var_none();
    vdi__btri_node *p = (vdi__btri_node *)factor->extra;
    n->in[0] = factor;
    n->in[1] = x;
    if (!t->measure) {
        vdi_blocktri_matvec(&p->bt, p->D->value, p->E ? p->E->value : NULL, nrhs, x->value,
                            n->value);
    }
    return vdi__node_link(t, n, (unsigned)(factor->flags | x->flags), vdi__btri_matvec_back);
}
#endif
