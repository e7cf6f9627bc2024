/* model/vilds/infer.h - posteriors, refinement, bounds and predictions of a trained model; declared
 * in vilds.h
 *
 * Refinement leaves the network's start by natural-gradient steps on the factors (h_t, Lambda_t) of
 * a product posterior: with the expectations under N(m_t, S_tt) taken by Gauss-Hermite quadrature,
 *     G_t = E sum_n dlog p/d eta_n  d eta_n/dz
 *     H_t = E sum_n w_n (d eta_n/dz)(d eta_n/dz)',   w_n the Fisher information of eta_n
 *     Lambda <- (1 - rho) Lambda + rho H,   h <- (1 - rho) h + rho (G + H m)
 * a step of a trial that lowers its bound is undone and rho shortened (Khan and Lin 2017, with
 * Gauss-Newton curvature). Other families of q, and a user's log joint, are refined by Adam on the
 * encoder's output of each bin.
 */
#ifndef VDI_MODEL_VILDS_INFER_H
#define VDI_MODEL_VILDS_INFER_H
#include "../../linalg/quadrature.h"
#include "train.h"
#endif /* VDI_MODEL_VILDS_INFER_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_INFER_C)
#define VDI_MODEL_VILDS_INFER_C

/* ======== one observation, in double ========================================================== */

/* What the observation part looks like to quadrature: the extra parameters as doubles. */
typedef struct vdi__vobs {
    vdi_vilds_obs obs;
    vdi_vilds_link link;
    int64_t terms;
    const double *extra; /* (n): log sd, log shape; or (n,terms + 1): g(k) - log k! */
} vdi__vobs;

VDI__FN vdi_status vdi__vobs_make(vdi_vilds *m, vdi__vobs *o, vdi_error *err) {
    int64_t n = m->desc.n, K = m->desc.max_count, terms = vdi__count_terms(&m->desc) + 1;
    memset(o, 0, sizeof *o);
    o->obs = m->desc.obs;
    o->link = m->desc.link;
    o->terms = terms;
    if (m->extra < 0) return VDI_OK;
    vdi_tensor v = m->params->item[m->extra].value;
    double *e = (double *)vdi_arena_alloc(
        &m->arena, (size_t)(o->obs == VDI_VILDS_COUNT ? n * terms : n) * sizeof *e);
    if (!e) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    o->extra = e;
    if (o->obs != VDI_VILDS_COUNT) {
        for (int64_t j = 0; j < n; j++)
            e[j] = vdi_dtype_load(v.dtype, v.data, j);
        return VDI_OK;
    }
    for (int64_t j = 0; j < n; j++) {
        for (int64_t k = 0; k < terms; k++) {
            double top =
                vdi_dtype_load(v.dtype, v.data, j * (K - 1) + VDI__MAX(VDI__MIN(k, K) - 2, 0));
            double below = K > 2 ? vdi_dtype_load(v.dtype, v.data, j * (K - 1) + K - 3) : 0;
            e[j * terms + k] = (k < 2    ? 0
                                : k <= K ? top
                                         : top + (double)(k - K) * (top - below)) -
                               lgamma((double)k + 1);
        }
    }
    return VDI_OK;
}

/* log p(y | eta) with all constants but log y! of Poisson and generalised counts (`lf`, taken off),
   its derivative r and Fisher information w, and the mean of y. */
typedef struct vdi__vterm {
    double log_p, r, w, mean;
} vdi__vterm;

/* `shift` is the log exposure. */
VDI__FN vdi__vterm vdi__vobs_term(const vdi__vobs *o, int64_t j, double y, double lf, double eta,
                                  double shift) {
    vdi__vterm v;
    bool soft = o->link == VDI_VILDS_SOFTPLUS &&
                (o->obs == VDI_VILDS_POISSON || o->obs == VDI_VILDS_NEGBIN);
    if (!soft) eta += shift;
    bool held =
        eta > VDI__POISSON_TOP &&
        (o->obs == VDI_VILDS_COUNT ||
         ((o->obs == VDI_VILDS_POISSON || o->obs == VDI_VILDS_NEGBIN) && o->link == VDI_VILDS_EXP));
    double e = held ? VDI__POISSON_TOP : eta, slope = 1; /* of log mean by eta */
    if (o->obs == VDI_VILDS_GAUSSIAN) {
        double q = exp(-2 * o->extra[j]), d = y - e;
        v.log_p = -0.5 * (d * d * q + VDI_LOG_2PI) - o->extra[j];
        v.r = d * q;
        v.w = q;
        v.mean = e;
        return v;
    }
    if (o->obs == VDI_VILDS_BERNOULLI) {
        double p = e >= 0 ? 1 / (1 + exp(-e)) : exp(e) / (1 + exp(e));
        v.log_p = y * e - (e > 0 ? e + log1p(exp(-e)) : log1p(exp(e)));
        v.r = y - p;
        v.w = p * (1 - p);
        v.mean = p;
        return v;
    }
    if (o->obs == VDI_VILDS_COUNT) {
        const double *base = o->extra + j * o->terms;
        double top = base[0];
        double sum = 0;
        double first = 0;
        double second = 0;
        for (int64_t k = 1; k < o->terms; k++)
            top = VDI__MAX(top, base[k] + e * (double)k);
        for (int64_t k = 0; k < o->terms; k++) {
            double p = exp(base[k] + e * (double)k - top);
            sum += p;
            first += p * (double)k;
            second += p * (double)k * (double)k;
        }
        first /= sum;
        second /= sum;
        int64_t k = (int64_t)y;
        v.log_p = k < o->terms ? base[k] + e * y - top - log(sum) : -1e300;
        v.r = held ? 0 : y - first;
        v.w = held ? 0 : second - first * first;
        v.mean = first;
        return v;
    }
    double log_mean = e, mean;
    if (soft) {
        mean = (e > 0 ? e + log1p(exp(-e)) : log1p(exp(e))) + 1e-6;
        slope = (e >= 0 ? 1 / (1 + exp(-e)) : exp(e) / (1 + exp(e))) / mean;
        log_mean = log(mean) + shift;
        mean *= exp(shift);
    } else if (held && o->obs == VDI_VILDS_POISSON) {
        mean = vdi__poisson_beyond(eta, &log_mean);
        slope = exp(VDI__POISSON_TOP) / mean;
    } else {
        mean = exp(e);
        if (held) slope = 0;
    }
    v.mean = mean;
    if (o->obs == VDI_VILDS_NEGBIN) {
        double s = exp(o->extra[j]), both = s + mean;
        v.log_p = lgamma(y + s) - lgamma(s) - lgamma(y + 1) + s * log(s / both) +
                  y * (log_mean - log(both));
        v.r = slope * (y - (y + s) * mean / both);
        v.w = slope * slope * mean * s / both;
        return v;
    }
    v.log_p = y * log_mean - mean - lf;
    v.r = slope * (y - mean);
    v.w = slope * slope * mean;
    return v;
}

/* ======== the decoder without a tape ========================================================== */

/* Buffers for rows of the decoder: values, and tangents in d directions. */
typedef struct vdi__vdecoder {
    int64_t room;
    void *z, *h[2], *eta, *j[2], *jeta; /* (room,d); (room,widest); (room,n); (d,room,widest);
                                           (d,room,n) */
} vdi__vdecoder;

VDI__FN vdi_status vdi__vdecoder_make(vdi_vilds *m, int64_t room, bool tangents, vdi__vdecoder *v,
                                      vdi_error *err) {
    int64_t widest = 1, d = m->desc.d, n = m->desc.n;
    size_t size = vdi_dtype_size(m->desc.dtype);
    memset(v, 0, sizeof *v);
    for (int i = 0; i < m->desc.layers; i++)
        widest = VDI__MAX(widest, m->desc.hidden[i]);
    v->room = room;
    v->z = vdi_arena_alloc(&m->arena, (size_t)(room * d) * size);
    v->eta = vdi_arena_alloc(&m->arena, (size_t)(room * n) * size);
    bool ok = v->z && v->eta;
    for (int k = 0; k < 2; k++) {
        v->h[k] = vdi_arena_alloc(&m->arena, (size_t)(room * widest) * size);
        if (tangents) v->j[k] = vdi_arena_alloc(&m->arena, (size_t)(d * room * widest) * size);
        ok = ok && v->h[k] && (!tangents || v->j[k]);
    }
    if (tangents) v->jeta = vdi_arena_alloc(&m->arena, (size_t)(d * room * n) * size);
    return ok && (!tangents || v->jeta)
               ? VDI_OK
               : vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
}

/* eta (rows,n), or its column `only` (rows) if that is not -1, and the tangents, from v->z. */
VDI__FN void vdi__vdecoder_run(vdi_vilds *m, vdi__vdecoder *v, int64_t rows, int64_t only) {
    vdi_dtype dtype = m->desc.dtype;
    size_t size = vdi_dtype_size(dtype);
    size_t P = (size_t)rows;
    size_t d = (size_t)m->desc.d;
    size_t n = (size_t)m->desc.n;
    const vdi_param *p = &m->params->item[m->decoder];
    const void *h = v->z, *j = NULL;
    size_t width = d;
    for (int layer = 0; layer < m->desc.layers; layer++, p += 2) {
        size_t next = (size_t)m->desc.hidden[layer];
        void *to = v->h[layer & 1], *jto = v->j[layer & 1];
        vdi_affine(dtype, P, next, width, h, width, p[0].value.data, next, p[1].value.data,
                   VDI_ACT_TANH, 0, to, next);
        for (size_t k = 0; v->jeta && k < d; k++) {
            char *jk = (char *)jto + k * P * next * size;
            if (!j) {
                for (size_t r = 0; r < P; r++) {
                    memcpy(jk + r * next * size, (const char *)p[0].value.data + k * next * size,
                           next * size);
                }
            } else {
                vdi_gemm(dtype, 0, P, next, width, (const char *)j + k * P * width * size, width,
                         p[0].value.data, next, jk, next);
            }
            vdi_act_grad(dtype, VDI_ACT_TANH, 0, P * next, to, jk, jk);
        }
        h = to;
        j = jto;
        width = next;
    }
    size_t columns = only < 0 ? n : 1, skip = only < 0 ? 0 : (size_t)only * size;
    vdi_affine(dtype, P, columns, width, h, width, (const char *)p[0].value.data + skip, n,
               (const char *)p[1].value.data + skip, VDI_ACT_NONE, 0, v->eta, columns);
    const char *straight = m->skip >= 0 ? (const char *)m->params->item[m->skip].value.data : NULL;
    if (straight)
        vdi_gemm(dtype, VDI_GEMM_ACC, P, columns, d, v->z, d, straight + skip, n, v->eta, columns);
    for (size_t k = 0; v->jeta && k < d; k++) {
        char *jk = (char *)v->jeta + k * P * n * size;
        const char *row = (const char *)(j ? NULL : p[0].value.data);
        if (j) {
            vdi_gemm(dtype, 0, P, n, width, (const char *)j + k * P * width * size, width,
                     p[0].value.data, n, jk, n);
        }
        for (size_t r = 0; (row || straight) && r < P; r++) {
            if (row) memcpy(jk + r * n * size, row + k * n * size, n * size);
            if (straight) vdi_axpby(dtype, n, 1, straight + k * n * size, 1, jk + r * n * size);
        }
    }
}

/* A quadrature rule for N(0, I) in d dimensions. */
typedef struct vdi__vrule {
    int64_t count;
    double *x, *w; /* (count,d), (count) */
} vdi__vrule;
VDI__FN vdi_status vdi__vrule_make(vdi_vilds *m, int64_t nodes, vdi__vrule *r, vdi_error *err) {
    int64_t d = m->desc.d, count = 1;
    if (nodes < 1) nodes = 7;
    while (nodes > 1 && pow((double)nodes, (double)d) > 2500)
        nodes--;
    if (pow((double)nodes, (double)d) > 1e5) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, "vdi_vilds",
                             "quadrature in %lld dimensions is out of reach", (long long)d);
    }
    for (int64_t i = 0; i < d; i++)
        count *= nodes;
    r->count = count;
    r->x = (double *)vdi_arena_alloc(&m->arena, (size_t)(count * d) * sizeof *r->x);
    r->w = (double *)vdi_arena_alloc(&m->arena, (size_t)count * sizeof *r->w);
    if (!r->x || !r->w) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    return vdi_gauss_hermite_product((int)nodes, (int)d, r->x, r->w, err);
}

/* The nodes of N(mean, S) into rows `at` .. of v->z; chol (d,d) is scratch. False if S is not
 * positive definite. */
VDI__FN bool vdi__vrule_place(const vdi_vilds *m, const vdi__vrule *rule, const double *mean,
                              const double *S, double *chol, void *z, int64_t at) {
    int64_t d = m->desc.d;
    memcpy(chol, S, (size_t)(d * d) * sizeof *chol);
    if (vdi_cholesky(VDI_F64, (size_t)d, chol, (size_t)d, NULL) < 0) return false;
    for (int64_t q = 0; q < rule->count; q++) {
        for (int64_t i = 0; i < d; i++) {
            double v = mean[i];
            for (int64_t k = 0; k <= i; k++)
                v += chol[i * d + k] * rule->x[q * d + k];
            vdi_dtype_store(m->desc.dtype, z, (at + q) * d + i, v);
        }
    }
    return true;
}

/* Buffers to push the nodes of a rule through z -> A z + g(z). */
typedef struct vdi__vdrift {
    void *z, *h[2];
    double *to; /* (nodes,d) */
} vdi__vdrift;
VDI__FN vdi_status vdi__vdrift_make(vdi_vilds *m, int64_t nodes, vdi__vdrift *v, vdi_error *err) {
    int64_t widest = m->desc.d;
    for (int i = 0; i < m->desc.transition_layers; i++)
        widest = VDI__MAX(widest, m->desc.transition_hidden[i]);
    size_t bytes = (size_t)(nodes * widest) * vdi_dtype_size(m->desc.dtype);
    v->z = vdi_arena_alloc(&m->arena, bytes);
    v->h[0] = vdi_arena_alloc(&m->arena, bytes);
    v->h[1] = vdi_arena_alloc(&m->arena, bytes);
    v->to = (double *)vdi_arena_alloc(&m->arena, (size_t)(nodes * m->desc.d) * sizeof *v->to);
    return v->z && v->h[0] && v->h[1] && v->to
               ? VDI_OK
               : vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
}
/* The mean and covariance of A z + g(z), z ~ N(mean, S), added to mu (d) and cov (d,d). */
VDI__FN bool vdi__vdrift_moments(const vdi_vilds *m, const vdi__vrule *rule, vdi__vdrift *v,
                                 const double *A, const double *mean, const double *S, double *chol,
                                 double *mu, double *cov) {
    int64_t d = m->desc.d, Q = rule->count;
    vdi_dtype dtype = m->desc.dtype;
    const vdi_param *p = &m->params->item[m->transition];
    if (!vdi__vrule_place(m, rule, mean, S, chol, v->z, 0)) return false;
    const void *h = v->z;
    size_t width = (size_t)d;
    for (int layer = 0; layer <= m->desc.transition_layers; layer++, p += 2) {
        bool last = layer == m->desc.transition_layers;
        size_t next = (size_t)(last ? d : m->desc.transition_hidden[layer]);
        vdi_affine(dtype, (size_t)Q, next, width, h, width, p[0].value.data, next, p[1].value.data,
                   last ? VDI_ACT_NONE : VDI_ACT_TANH, 0, v->h[layer & 1], next);
        h = v->h[layer & 1];
        width = next;
    }
    for (int64_t q = 0; q < Q; q++) {
        for (int64_t i = 0; i < d; i++) {
            double x = vdi_dtype_load(dtype, h, q * d + i);
            for (int64_t k = 0; k < d; k++)
                x += A[i * d + k] * vdi_dtype_load(dtype, v->z, q * d + k);
            v->to[q * d + i] = x;
            mu[i] += rule->w[q] * x;
        }
    }
    for (int64_t q = 0; q < Q; q++) {
        for (int64_t i = 0; i < d; i++) {
            for (int64_t k = 0; k < d; k++) {
                cov[i * d + k] +=
                    rule->w[q] * (v->to[q * d + i] - mu[i]) * (v->to[q * d + k] - mu[k]);
            }
        }
    }
    return true;
}

/* ======== refinement ========================================================================== */

/* The state of a batch under refinement; everything float64. */
typedef struct vdi__vrefine {
    double *nat;        /* (B,T,d + d d): h and Lambda */
    double *mean, *S;   /* (B,T,d), (B,T,d,d) */
    double *G, *H;      /* (B,T,d), (B,T,d,d) */
    double *elbo, *rho; /* (B) */
} vdi__vrefine;

VDI__FN vdi_status vdi__vrefine_alloc(vdi_vilds *m, const vdi__vbatch *b, vdi__vrefine *s,
                                      vdi_error *err) {
    int64_t d = m->desc.d, bins = b->info.trials * b->info.T;
    const int64_t count[7] = {bins * (d + d * d), bins * d,       bins * d * d,  bins * d,
                              bins * d * d,       b->info.trials, b->info.trials};
    double **to[7];
    to[0] = &s->nat;
    to[1] = &s->mean;
    to[2] = &s->S;
    to[3] = &s->G;
    to[4] = &s->H;
    to[5] = &s->elbo;
    to[6] = &s->rho;
    for (int i = 0; i < 7; i++) {
        if (!(*to[i] = (double *)vdi_arena_calloc(&m->arena, (size_t)count[i] * sizeof(double))))
            return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    }
    return VDI_OK;
}

/* Moments, bound and the expectations G, H at s->nat. A trial whose bound cannot be had gets
 * -inf. */
VDI__FN vdi_status vdi__vrefine_state(vdi_vilds *m, vdi__vbatch *b, const vdi__vobs *obs,
                                      const vdi__vrule *rule, vdi__vdecoder *dec, double *chol,
                                      vdi__vrefine *s, vdi_error *err) {
    int64_t d = m->desc.d;
    int64_t dd = d * d;
    int64_t n = m->desc.n;
    int64_t B = b->info.trials;
    int64_t T = b->info.T;
    int64_t Q = rule->count;
    vdi_dtype dtype = m->desc.dtype;
    vdi__velbo e;
    vdi_tape_reset(m->tape);
    bool old = vdi_tape_set_no_grad(m->tape, true);
    vdi__vilds_posterior(m, b,
                         vdi_tape_constant(m->tape, vdi_tensor_3d(s->nat, VDI_F64, B, T, d + dd)),
                         true, true, &e);
    vdi__vilds_kl(m, b, &e);
    (void)vdi_tape_set_no_grad(m->tape, old);
    vdi_status status = vdi_tape_status(m->tape, err);
    if (status < 0) return status;
    memcpy(s->mean, vdi_tape_value(m->tape, e.mean).data, (size_t)(B * T * d) * sizeof(double));
    memcpy(s->S, vdi_tape_value(m->tape, e.S).data, (size_t)(B * T * dd) * sizeof(double));
    memset(s->G, 0, (size_t)(B * T * d) * sizeof(double));
    memset(s->H, 0, (size_t)(B * T * dd) * sizeof(double));
    const double *kl = (const double *)vdi_tape_value(m->tape, e.kl).data;
    bool lf = m->desc.obs == VDI_VILDS_POISSON || m->desc.obs == VDI_VILDS_COUNT;
    bool plain = m->desc.obs == VDI_VILDS_POISSON && m->desc.link == VDI_VILDS_EXP;
    int64_t strip = VDI__MAX(1, dec->room / Q);
    for (int64_t i = 0; i < B; i++) {
        double sum = -kl[i] - (lf ? b->constant[i] : 0);
        for (int64_t from = 0; from < b->info.length[i]; from += strip) {
            int64_t count = VDI__MIN(strip, b->info.length[i] - from), P = count * Q;
            bool placed = true;
            for (int64_t r = 0; r < count; r++) {
                placed = vdi__vrule_place(m, rule, s->mean + (i * T + from + r) * d,
                                          s->S + (i * T + from + r) * dd, chol, dec->z, r * Q) &&
                         placed;
            }
            if (!placed) {
                sum = -HUGE_VAL;
                break;
            }
            vdi__vdecoder_run(m, dec, P, -1);
            for (int64_t r = 0; r < count; r++) {
                int64_t bin = i * T + from + r, row = b->first[i] + from + r;
                double *G = s->G + bin * d, *H = s->H + bin * dd;
                for (int64_t j = 0; j < n; j++) {
                    double y = vdi_dtype_load(dtype, b->y.data, row * n + j);
                    double shift = vdi_tensor_ok(b->offset)
                                       ? vdi_dtype_load(dtype, b->offset.data, row * n + j)
                                       : 0;
                    if (vdi_tensor_ok(b->mask) &&
                        vdi_dtype_load(dtype, b->mask.data, row * n + j) == 0)
                        continue;
                    for (int64_t q = 0; q < Q; q++) {
                        int64_t at = (r * Q + q) * n + j;
                        double w = rule->w[q], tangent[64];
                        vdi__vterm v;
                        if (plain) {
                            double eta = vdi_dtype_load(dtype, dec->eta, at) + shift;
                            double mean = exp(eta);
                            if (eta > VDI__POISSON_TOP) {
                                v = vdi__vobs_term(obs, j, y, 0, eta, 0);
                            } else {
                                v.log_p = y * eta - mean;
                                v.w = mean;
                                v.r = y - mean;
                            }
                        } else {
                            v = vdi__vobs_term(obs, j, y, 0, vdi_dtype_load(dtype, dec->eta, at),
                                               shift);
                        }
                        /* taken off with the constant */
                        if (!plain && m->desc.obs == VDI_VILDS_COUNT) v.log_p += lgamma(y + 1);
                        sum += w * v.log_p;
                        for (int64_t k = 0; k < d; k++)
                            tangent[k] = vdi_dtype_load(dtype, dec->jeta, k * P * n + at);
                        for (int64_t k = 0; k < d; k++) {
                            G[k] += w * v.r * tangent[k];
                            for (int64_t l = 0; l <= k; l++)
                                H[k * d + l] += w * v.w * tangent[k] * tangent[l];
                        }
                    }
                }
                for (int64_t k = 0; k < d; k++) {
                    for (int64_t l = 0; l < k; l++)
                        H[l * d + k] = H[k * d + l];
                }
            }
        }
        s->elbo[i] = sum == sum ? sum : -HUGE_VAL;
    }
    return VDI_OK;
}

/* Refine from the encoder's output `out` (B,T,d + d d; h and R): natural parameters in the
 * arena. */
VDI__FN vdi_status vdi__vilds_refine(vdi_vilds *m, vdi__vbatch *b, const double *out, int64_t steps,
                                     int64_t nodes, double **nat, vdi_error *err) {
    int64_t d = m->desc.d;
    int64_t dd = d * d;
    int64_t B = b->info.trials;
    int64_t T = b->info.T;
    vdi__vrefine now, next;
    vdi__vobs obs;
    vdi__vrule rule;
    vdi__vdecoder dec;
    double *chol = (double *)vdi_arena_alloc(&m->arena, (size_t)dd * sizeof *chol);
    vdi_status status = chol ? vdi__vrefine_alloc(m, b, &now, err)
                             : vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    if (status >= 0) status = vdi__vrefine_alloc(m, b, &next, err);
    if (status >= 0) status = vdi__vobs_make(m, &obs, err);
    if (status >= 0)
        status = vdi__vrule_make(m, VDI__MIN(nodes, d <= 2 ? 5 : d == 3 ? 4 : 3), &rule, err);
    if (status >= 0) status = vdi__vdecoder_make(m, VDI__MAX(1024, rule.count), true, &dec, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < B * T; i++) {
        const double *o = out + i * (d + dd);
        memcpy(now.nat + i * (d + dd), o, (size_t)d * sizeof *o);
        vdi__vm_mul(d, 1, o + d, false, o + d, true, now.nat + i * (d + dd) + d);
    }
    vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    status = vdi__vrefine_state(m, b, &obs, &rule, &dec, chol, &now, err);
    vdi_arena_rewind(&m->arena, mark);
    for (int64_t i = 0; i < B; i++)
        now.rho[i] = 0.5;
    for (int64_t step = 0; step < steps && status >= 0; step++) {
        for (int64_t i = 0; i < B; i++) {
            for (int64_t t = 0; t < T; t++) {
                int64_t at = i * T + t;
                double *to = next.nat + at * (d + dd), rho = now.rho[i];
                const double *from = now.nat + at * (d + dd);
                const double *G = now.G + at * d;
                const double *H = now.H + at * dd;
                const double *mean = now.mean + at * d;
                for (int64_t k = 0; k < d; k++)
                    to[k] = (1 - rho) * from[k] + rho * (G[k] + vdi__vm_dot(d, H + k * d, mean));
                for (int64_t k = 0; k < dd; k++)
                    to[d + k] = (1 - rho) * from[d + k] + rho * H[k];
            }
        }
        status = vdi__vrefine_state(m, b, &obs, &rule, &dec, chol, &next, err);
        vdi_arena_rewind(&m->arena, mark);
        if (status < 0) break;
        for (int64_t i = 0; i < B; i++) {
            bool better = next.elbo[i] >= now.elbo[i] - 1e-6;
            now.rho[i] = better ? VDI__MIN(1.0, now.rho[i] * 1.3) : now.rho[i] * 0.4;
            if (!better) continue;
            size_t T8 = (size_t)T * sizeof(double);
            memcpy(now.nat + i * T * (d + dd), next.nat + i * T * (d + dd), T8 * (size_t)(d + dd));
            memcpy(now.mean + i * T * d, next.mean + i * T * d, T8 * (size_t)d);
            memcpy(now.G + i * T * d, next.G + i * T * d, T8 * (size_t)d);
            memcpy(now.H + i * T * dd, next.H + i * T * dd, T8 * (size_t)dd);
            now.elbo[i] = next.elbo[i];
        }
    }
    *nat = now.nat;
    return status;
}

/* Any other model: Adam on the encoder's output of each bin, with the same normals at every step,
   so that the bound of a trial can be compared; the best of each trial is kept in `out` (B,T,k). */
VDI__FN vdi_status vdi__vilds_climb(vdi_vilds *m, vdi__vbatch *b, double *out, int64_t k,
                                    int64_t steps, int64_t samples, uint64_t seed, vdi_error *err) {
    int64_t B = b->info.trials;
    int64_t T = b->info.T;
    int64_t each = T * k;
    int64_t total = B * each;
    double *x = (double *)vdi_arena_alloc(&m->arena, (size_t)(3 * total + B) * sizeof *x);
    double *m1 = x + total;
    double *m2 = m1 + total;
    double *best = m2 + total;
    bool closed = vdi__vilds_closed(m);
    vdi_tensor eps = closed
                         ? vdi__no_tensor()
                         : vdi__vilds_eps(m, b, samples, seed, VDI__V_RNG_SCORE, (int64_t)1 << 30);
    if (!x || (!closed && !vdi_tensor_ok(eps)))
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    memcpy(x, out, (size_t)total * sizeof *x);
    memset(m1, 0, (size_t)(2 * total) * sizeof *m1);
    vdi_status status = VDI_OK;
    bool old = vdi_tape_set_no_grad(m->tape, false), frozen = vdi_tape_set_frozen(m->tape, true);
    vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
    for (int64_t step = 0; step <= steps; step++) {
        vdi__velbo e;
        vdi_tape_reset(m->tape);
        vdi_arena_rewind(&m->arena, mark);
        vdi_var v = vdi_tape_variable(m->tape, vdi_tensor_3d(x, VDI_F64, B, T, k));
        vdi__vilds_posterior(m, b, v, false, !m->desc.log_joint, &e);
        vdi__vilds_bound(m, b, eps, &e);
        vdi_status went = vdi_tape_status(m->tape, step ? NULL : err);
        if (went < 0 && !step) status = went;
        if (went < 0) break; /* too far: what was best so far stands */
        const double *elbo = (const double *)vdi_tape_value(m->tape, e.elbo).data;
        for (int64_t i = 0; i < B; i++) {
            if (!step || elbo[i] > best[i]) {
                best[i] = elbo[i];
                memcpy(out + i * each, x + i * each, (size_t)each * sizeof *x);
            }
        }
        if (step == steps || vdi_tape_backward(m->tape, vdi_var_sum(m->tape, e.elbo)) < 0) break;
        const double *g = (const double *)vdi_tape_grad(m->tape, v).data;
        if (!g || vdi_count_nonfinite(VDI_F64, (size_t)total, g)) break;
        double c1 = 1 - pow(0.9, (double)(step + 1));
        double c2 = 1 - pow(0.99, (double)(step + 1));
        double rate = 0.03 * (1 - 0.9 * (double)step / (double)steps);
        for (int64_t i = 0; i < total; i++) {
            m1[i] = 0.9 * m1[i] + 0.1 * g[i];
            m2[i] = 0.99 * m2[i] + 0.01 * g[i] * g[i];
            x[i] += rate * (m1[i] / c1) / (sqrt(m2[i] / c2) + 1e-8);
        }
    }
    (void)vdi_tape_set_no_grad(m->tape, old);
    (void)vdi_tape_set_frozen(m->tape, frozen);
    return status;
}

/* ======== posteriors of items ================================================================= */

VDI__FN bool vdi__vilds_refines(const vdi_vilds *m) {
    return m->desc.posterior == VDI_VILDS_PRODUCT && !m->desc.log_joint && m->transition < 0;
}

/* q of `count` items, on the tape without gradients; arena and tape are reset first, so `item` may
 * not live there. */
VDI__FN vdi_status vdi__vilds_items(vdi_vilds *m, vdi_vilds_data *data, const vdi__vitem *item,
                                    int64_t count, const vdi_vilds_query *q, vdi__vbatch *b,
                                    vdi__velbo *e, vdi_error *err) {
    vdi_arena_reset(&m->arena);
    vdi_tape_reset(m->tape);
    vdi_status status = vdi__vilds_batch(m, data, item, count, NULL, false, b, err);
    if (status < 0) return status;
    bool old = vdi_tape_set_no_grad(m->tape, true), natural = false;
    vdi_var out = vdi__vilds_encode(m, b);
    status = vdi_tape_status(m->tape, err);
    if (status >= 0 && q->refine > 0) {
        int64_t d = m->desc.d;
        int64_t outputs = vdi_vilds_family_of(m->desc.posterior)->outputs(d);
        int64_t cells = b->info.trials * b->info.T * outputs;
        double *copy = (double *)vdi_arena_alloc(&m->arena, (size_t)cells * sizeof *copy);
        if (!copy) {
            status = vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
        } else {
            memcpy(copy, vdi_tape_value(m->tape, out).data, (size_t)cells * sizeof *copy);
            natural = vdi__vilds_refines(m);
            if (natural) {
                status =
                    vdi__vilds_refine(m, b, copy, q->refine, q->nodes ? q->nodes : 5, &copy, err);
            } else {
                status = vdi__vilds_climb(m, b, copy, outputs, q->refine,
                                          q->samples > 0 ? q->samples : 16, q->seed, err);
            }
            vdi_tape_reset(m->tape);
            if (status >= 0) {
                out = vdi_tape_constant(
                    m->tape, vdi_tensor_3d(copy, VDI_F64, b->info.trials, b->info.T, outputs));
            }
        }
    }
    if (status >= 0) {
        vdi__vilds_posterior(m, b, out, natural, true, e);
        status = vdi_tape_status(m->tape, err);
    }
    (void)vdi_tape_set_no_grad(m->tape, old);
    return status;
}

VDI__DEF vdi_status vdi_vilds_infer(vdi_vilds *m, vdi_vilds_data *data,
                                    const vdi_vilds_query *query, const vdi_vilds_result *out,
                                    vdi_error *err) {
    vdi_vilds_query q = VDI__ZERO;
    if (query) q = *query;
    int64_t d = m->desc.d;
    int64_t n = m->desc.n;
    int64_t T = data->T;
    int64_t samples = q.samples > 0 ? q.samples : 16;
    int64_t block = VDI__MAX(1, m->desc.train.batch);
    bool closed = vdi__vilds_closed(m);
    if (out->rate && m->desc.log_joint) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, "vdi_vilds_infer",
                             "a user's log joint has no rates");
    }
    vdi__vitem item[64];
    block = VDI__MIN(block, (int64_t)VDI__COUNT(item));
    for (int64_t from = 0; from < data->trials; from += block) {
        int64_t count = VDI__MIN(block, data->trials - from);
        vdi__vbatch b;
        vdi__velbo e;
        for (int64_t i = 0; i < count; i++) {
            item[i].trial = from + i;
            item[i].first = 0;
            item[i].length = data->length[from + i];
            item[i].hide = -1;
        }
        vdi_status status = vdi__vilds_items(m, data, item, count, &q, &b, &e, err);
        if (status < 0) return status;
        bool old = vdi_tape_set_no_grad(m->tape, true);
        int64_t Tb = b.info.T;
        const double *mean = (const double *)vdi_tape_value(m->tape, e.mean).data;
        const double *S = (const double *)vdi_tape_value(m->tape, e.S).data;
        const double *O = Tb > 1 ? (const double *)vdi_tape_value(m->tape, e.O).data : NULL;
        for (int64_t i = 0; i < count; i++) {
            int64_t trial = from + i, length = b.info.length[i];
            if (out->mean) {
                memset(out->mean + trial * T * d, 0, (size_t)(T * d) * sizeof(double));
                memcpy(out->mean + trial * T * d, mean + i * Tb * d,
                       (size_t)(length * d) * sizeof(double));
            }
            if (out->cov) {
                memset(out->cov + trial * T * d * d, 0, (size_t)(T * d * d) * sizeof(double));
                memcpy(out->cov + trial * T * d * d, S + i * Tb * d * d,
                       (size_t)(length * d * d) * sizeof(double));
            }
            if (out->lagcov && T > 1) {
                memset(out->lagcov + trial * (T - 1) * d * d, 0,
                       (size_t)((T - 1) * d * d) * sizeof(double));
                if (length > 1) {
                    memcpy(out->lagcov + trial * (T - 1) * d * d, O + i * (Tb - 1) * d * d,
                           (size_t)((length - 1) * d * d) * sizeof(double));
                }
            }
        }
        bool needs_z = out->sample || out->rate || (out->elbo && !closed);
        vdi_tensor eps = needs_z ? vdi__vilds_eps(m, &b, samples, q.seed, VDI__V_RNG_SCORE, 0)
                                 : vdi__no_tensor();
        if (out->elbo || needs_z) vdi__vilds_bound(m, &b, eps, &e);
        status = vdi_tape_status(m->tape, err);
        if (status >= 0 && out->elbo) {
            memcpy(out->elbo + from, vdi_tape_value(m->tape, e.elbo).data,
                   (size_t)count * sizeof(double));
        }
        if (status >= 0 && out->sample) {
            const double *z = (const double *)vdi_tape_value(m->tape, e.z).data;
            for (int64_t s = 0; s < samples; s++) {
                for (int64_t i = 0; i < count; i++) {
                    double *to = out->sample + ((s * data->trials + from + i) * T) * d;
                    memset(to, 0, (size_t)(T * d) * sizeof *to);
                    memcpy(to, z + ((s * count + i) * Tb) * d,
                           (size_t)(b.info.length[i] * d) * sizeof *to);
                }
            }
        }
        if (status >= 0 && out->rate) {
            vdi__vobs obs;
            status = vdi__vobs_make(m, &obs, err);
            vdi_tensor eta =
                vdi_tape_value(m->tape, vdi__vilds_eta(m, vdi__vilds_rows(m, &b, e.z, samples, d)));
            if (status >= 0) status = vdi_tape_status(m->tape, err);
            for (int64_t i = 0; i < count && status >= 0; i++) {
                memset(out->rate + (from + i) * T * n, 0, (size_t)(T * n) * sizeof(double));
                for (int64_t c = 0; c < b.info.length[i] * n; c++) {
                    for (int64_t s = 0; s < samples; s++) {
                        double shift =
                            vdi_tensor_ok(b.offset)
                                ? vdi_dtype_load(eta.dtype, b.offset.data, b.first[i] * n + c)
                                : 0;
                        double v = vdi_dtype_load(eta.dtype, eta.data,
                                                  (s * b.rows.rows + b.first[i]) * n + c);
                        out->rate[(from + i) * T * n + c] +=
                            vdi__vobs_term(&obs, c % n, 0, 0, v, shift).mean / (double)samples;
                    }
                }
            }
        }
        if (status >= 0 && out->iw && q.iw > 0) {
            /* log 1/K sum_k p(y,z_k) / q(z_k): the samples in groups, the sum kept with its
             * scale */
            double *top = (double *)vdi_arena_alloc(&m->arena, (size_t)(2 * count) * sizeof *top);
            double *sum = top + count;
            if (!top) status = vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_infer", "no memory");
            for (int64_t i = 0; i < count && status >= 0; i++) {
                top[i] = -HUGE_VAL;
                sum[i] = 0;
            }
            for (int64_t done = 0, group = 0; done < q.iw && status >= 0; done += group) {
                vdi_arena_mark mark = vdi_arena_get_mark(&m->arena);
                group = VDI__MIN(8, q.iw - done);
                eps = vdi__vilds_eps(m, &b, group, q.seed, VDI__V_RNG_SCORE, 1 + done);
                if (!vdi_tensor_ok(eps)) {
                    status = vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_infer", "no memory");
                    break;
                }
                vdi__velbo k = e;
                if (m->desc.log_joint) {
                    vdi__vilds_bound(m, &b, eps, &k);
                } else {
                    k.z = vdi_var_add(m->tape, e.mean,
                                      vdi_var_blocktri_sample(m->tape, e.factor,
                                                              vdi_tape_constant(m->tape, eps)));
                    k.likelihood = vdi__vilds_likelihood(
                        m, &b, vdi__vilds_eta(m, vdi__vilds_rows(m, &b, k.z, group, d)), group);
                    if (m->transition >= 0) k.prior.g = vdi__vilds_drift(m, k.z, group, &b.info);
                    k.likelihood =
                        vdi_var_add(m->tape, k.likelihood,
                                    vdi_var_lds_log_prob(m->tape, &k.prior, k.z, &b.info));
                }
                status = vdi_tape_status(m->tape, err);
                if (status < 0) break;
                const double *lp = (const double *)vdi_tape_value(m->tape, k.likelihood).data;
                const double *logdet = (const double *)vdi_tape_value(m->tape, e.logdet).data;
                bool lf = !m->desc.log_joint &&
                          (m->desc.obs == VDI_VILDS_POISSON || m->desc.obs == VDI_VILDS_COUNT);
                for (int64_t s = 0; s < group; s++) {
                    for (int64_t i = 0; i < count; i++) {
                        const double *ei = (const double *)eps.data + (s * count + i) * Tb * d;
                        double log_q =
                            0.5 * (logdet[i] - vdi__vm_dot(b.info.length[i] * d, ei, ei) -
                                   (double)(b.info.length[i] * d) * VDI_LOG_2PI);
                        double w = lp[s * count + i] - (lf ? b.constant[i] : 0) - log_q;
                        if (w > top[i]) {
                            sum[i] = sum[i] * exp(top[i] - w) + 1;
                            top[i] = w;
                        } else {
                            sum[i] += exp(w - top[i]);
                        }
                    }
                }
                vdi_arena_rewind(&m->arena, mark);
            }
            for (int64_t i = 0; i < count && status >= 0; i++)
                out->iw[from + i] = top[i] + log(sum[i] / (double)q.iw);
        }
        (void)vdi_tape_set_no_grad(m->tape, old);
        if (status < 0) return status;
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_vilds_score(vdi_vilds *m, vdi_vilds_data *data, const vdi_vilds_query *q,
                                    double *elbo_per_bin, vdi_error *err) {
    vdi_vilds_result out = VDI__ZERO;
    out.elbo = (double *)vdi_alloc(&m->desc.allocator, (size_t)data->trials * sizeof(double));
    if (!out.elbo) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_score", "no memory");
    vdi_status status = vdi_vilds_infer(m, data, q, &out, err);
    double sum = 0;
    for (int64_t i = 0; i < data->trials && status >= 0; i++)
        sum += out.elbo[i];
    *elbo_per_bin = sum / (double)data->total;
    vdi_free(&m->desc.allocator, out.elbo, (size_t)data->trials * sizeof(double));
    return status;
}

/* ======== prediction ========================================================================== */

/* Integrate the observations of one bin over N(mean, S): channels j0 .. j1 into log_prob and mu
 * (indexed by channel; may be NULL). */
VDI__FN vdi_status vdi__vilds_integrate(vdi_vilds *m, vdi_vilds_data *data, const vdi__vobs *obs,
                                        const vdi__vrule *rule, vdi__vdecoder *dec, int64_t only,
                                        int64_t bins, const int64_t *cell, double *log_prob,
                                        double *mu) {
    int64_t n = m->desc.n;
    int64_t Q = rule->count;
    int64_t j0 = only < 0 ? 0 : only;
    int64_t j1 = only < 0 ? n : only + 1;
    int64_t width = only < 0 ? n : 1;
    vdi__vdecoder_run(m, dec, bins * Q, only);
    for (int64_t r = 0; r < bins; r++) {
        for (int64_t j = j0; j < j1; j++) {
            int64_t at = cell[r] * n + j;
            double y = vdi_dtype_load(data->dtype, data->y, at);
            double top = -HUGE_VAL;
            double sum = 0;
            double mean = 0;
            double lf = vdi_dtype_load(data->dtype, data->log_factorial, at);
            double shift = data->offset ? vdi_dtype_load(data->dtype, data->offset, at) : 0;
            for (int64_t q = 0; q < Q; q++) {
                vdi__vterm v =
                    vdi__vobs_term(obs, j, y, lf,
                                   vdi_dtype_load(m->desc.dtype, dec->eta,
                                                  (r * Q + q) * width + (only < 0 ? j : 0)),
                                   shift);
                if (v.log_p > top) {
                    sum = sum * exp(top - v.log_p) + rule->w[q];
                    top = v.log_p;
                } else {
                    sum += rule->w[q] * exp(v.log_p - top);
                }
                mean += rule->w[q] * v.mean;
            }
            bool seen = !data->seen || data->seen[at];
            if (log_prob) log_prob[at] = seen ? top + log(sum) : 0;
            if (mu) mu[at] = mean;
        }
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_vilds_predict(vdi_vilds *m, vdi_vilds_data *data, vdi_vilds_prediction what,
                                      const vdi_vilds_query *query, double *log_prob, double *mean,
                                      vdi_error *err) {
    static const char where[] = "vdi_vilds_predict";
    vdi_vilds_query q = VDI__ZERO;
    if (query) q = *query;
    int64_t d = m->desc.d;
    int64_t dd = d * d;
    int64_t n = m->desc.n;
    int64_t T = data->T;
    if (m->desc.log_joint) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "a user's log joint has no observation part to predict with");
    }
    size_t cells = (size_t)(data->trials * T * n);
    if (log_prob) memset(log_prob, 0, cells * sizeof *log_prob);
    if (mean) memset(mean, 0, cells * sizeof *mean);
    /* items: each trial without one channel, or cut off before one bin; a block of them at a
     * time */
    enum { BLOCK = 64 };
    vdi__vitem item[BLOCK];
    int64_t count = 0, rows = 0, last_rows = 8000;
    int64_t per = what == VDI_VILDS_LEAVE_ONE_OUT ? n : T, all = data->trials * per;
    for (int64_t next = 0; next <= all; next++) {
        int64_t trial = next / per, k = next % per;
        bool flush = next == all;
        if (!flush && what == VDI_VILDS_ONE_STEP && (k == 0 || k >= data->length[trial])) {
            if (k != 0) continue;
        }
        if (!flush) {
            vdi__vitem it;
            it.trial = trial;
            it.first = 0;
            it.length = what == VDI_VILDS_LEAVE_ONE_OUT ? data->length[trial] : VDI__MAX(k, 1);
            /* a one-step item at bin k; bin 0 takes the prior alone */
            it.hide = what == VDI_VILDS_LEAVE_ONE_OUT ? k : -1 - k;
            item[count++] = it;
            rows += it.length;
        }
        if (count == 0 || (!flush && count < BLOCK && rows < last_rows)) continue;
        vdi__vitem batch[BLOCK];
        vdi__vbatch b;
        vdi__velbo e;
        vdi__vobs obs;
        vdi__vrule rule;
        vdi__vdecoder dec;
        for (int64_t i = 0; i < count; i++) {
            batch[i] = item[i];
            if (what == VDI_VILDS_ONE_STEP) batch[i].hide = -1;
        }
        vdi_status status = vdi__vilds_items(m, data, batch, count, &q, &b, &e, err);
        if (status >= 0) status = vdi__vobs_make(m, &obs, err);
        if (status >= 0) status = vdi__vrule_make(m, q.nodes, &rule, err);
        if (status >= 0)
            status = vdi__vdecoder_make(m, VDI__MAX(2048, rule.count), false, &dec, err);
        vdi__vdrift drift = VDI__ZERO;
        if (status >= 0 && m->transition >= 0)
            status = vdi__vdrift_make(m, rule.count, &drift, err);
        double *w = (double *)vdi_arena_alloc(&m->arena, (size_t)(5 * dd + 2 * d) * sizeof *w);
        int64_t strip = status >= 0 ? VDI__MAX(1, dec.room / rule.count) : 1;
        int64_t *cell = (int64_t *)vdi_arena_alloc(&m->arena, (size_t)strip * sizeof *cell);
        if (status >= 0 && (!w || !cell))
            status = vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
        if (status < 0) return status;
        double *chol = w;
        double *cov = w + dd;
        double *A = w + 2 * dd;
        double *Q = w + 3 * dd;
        double *AS = w + 4 * dd;
        double *mu = w + 5 * dd;
        double *x0 = mu + d;
        const double *pm = (const double *)vdi_tape_value(m->tape, e.mean).data;
        const double *pS = (const double *)vdi_tape_value(m->tape, e.S).data;
        int64_t filled = 0, Tb = b.info.T;
        for (int64_t i = 0; i < dd; i++)
            A[i] = vdi_dtype_load(m->desc.dtype, m->params->item[m->A].value.data, i);
        for (int64_t i = 0; i < d; i++)
            x0[i] = vdi_dtype_load(m->desc.dtype, m->params->item[m->x0].value.data, i);
        for (int64_t i = 0; i < count; i++) {
            if (what == VDI_VILDS_LEAVE_ONE_OUT) {
                for (int64_t t = 0; t < b.info.length[i]; t++) {
                    if (!vdi__vrule_place(m, &rule, pm + (i * Tb + t) * d, pS + (i * Tb + t) * dd,
                                          chol, dec.z, filled * rule.count)) {
                        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                                             "trial %lld, bin %lld: the posterior covariance is "
                                             "not positive definite",
                                             (long long)item[i].trial, (long long)t);
                    }
                    cell[filled++] = item[i].trial * T + t;
                    if (filled == strip || t + 1 == b.info.length[i]) {
                        status = vdi__vilds_integrate(m, data, &obs, &rule, &dec, item[i].hide,
                                                      filled, cell, log_prob, mean);
                        filled = 0;
                    }
                }
                continue;
            }
            int64_t t = -1 - item[i].hide;
            if (t == 0) {
                status = vdi_vilds_get_covariance(m, "prior.Q0", cov, err);
                memcpy(mu, x0, (size_t)d * sizeof *mu);
            } else {
                const double *S = pS + (i * Tb + t - 1) * dd;
                status = vdi_vilds_get_covariance(m, "prior.Q", Q, err);
                memcpy(cov, Q, (size_t)dd * sizeof *cov);
                memset(AS, 0, (size_t)dd * sizeof *AS);
                memset(mu, 0, (size_t)d * sizeof *mu);
                if (m->transition < 0) {
                    vdi__vm_mul(d, 1, A, false, S, false, AS);
                    vdi__vm_mul(d, 1, AS, false, A, true, cov);
                    vdi__vm_apply(d, 1, A, false, pm + (i * Tb + t - 1) * d, mu);
                } else if (!vdi__vdrift_moments(m, &rule, &drift, A, pm + (i * Tb + t - 1) * d, S,
                                                chol, mu, cov)) {
                    status = VDI_ERR_NUMERIC;
                }
                for (int64_t u = 0; u < m->desc.inputs; u++) {
                    for (int64_t k2 = 0; k2 < d; k2++) {
                        mu[k2] += data->u[(item[i].trial * T + t) * m->desc.inputs + u] *
                                  vdi_dtype_load(m->desc.dtype, m->params->item[m->B].value.data,
                                                 u * d + k2);
                    }
                }
            }
            if (status < 0 ||
                !vdi__vrule_place(m, &rule, mu, cov, chol, dec.z, filled * rule.count)) {
                return vdi_error_set(
                    err, VDI_ERR_NUMERIC, where,
                    "trial %lld, bin %lld: the predicted covariance is not positive definite",
                    (long long)item[i].trial, (long long)t);
            }
            cell[filled++] = item[i].trial * T + t;
            if (filled == strip || i + 1 == count) {
                status = vdi__vilds_integrate(m, data, &obs, &rule, &dec, -1, filled, cell,
                                              log_prob, mean);
                filled = 0;
            }
        }
        count = 0;
        rows = 0;
    }
    return VDI_OK;
}
#endif
