/* model/vilds/decoder.h - the decoder and the observations evaluated without a tape, for quadrature
 * over the latent of a bin
 *
 * Nothing public. All memory is of the model's arena.
 */
#ifndef VDI_MODEL_VILDS_DECODER_H
#define VDI_MODEL_VILDS_DECODER_H
#include "../../linalg/quadrature.h"
#include "bound.h"
#endif /* VDI_MODEL_VILDS_DECODER_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_DECODER_C)
#define VDI_MODEL_VILDS_DECODER_C

/* The parameters of the observations as doubles. */
VDI__FN vdi_status vdi__vilds_obs_numbers(vdi_vilds *m, vdi__obs_numbers *o, vdi_error *err) {
    const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
    o->link = m->desc.link;
    o->stride = 0;
    o->number = NULL;
    if (m->at.obs < 0) return VDI_OK;
    o->stride = obs->stride(&m->desc);
    double *number = (double *)vdi_arena_alloc(
        &m->arena, vdi_mul_size((size_t)(m->desc.n * o->stride), sizeof *number));
    if (!number) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    for (int64_t j = 0; j < m->desc.n; j++)
        obs->numbers(&m->desc, m->params->item[m->at.obs].value, j, number + j * o->stride);
    o->number = number;
    return VDI_OK;
}

/* ======== the decoder ========================================================================= */

/* Buffers for rows of the decoder: values, and tangents in d directions. */
typedef struct vdi__decoder {
    int64_t room;       /* rows */
    void *z, *h[2];     /* (room,d); (room,widest) */
    void *eta;          /* (room,n) */
    void *j[2], *j_eta; /* (d,room,widest), (d,room,n); NULL: no tangents */
} vdi__decoder;

VDI__FN vdi_status vdi__decoder_make(vdi_vilds *m, int64_t room, bool tangents, vdi__decoder *v,
                                     vdi_error *err) {
    const size_t size = vdi_dtype_size(m->desc.dtype), rows = (size_t)room;
    const size_t d = (size_t)m->desc.d, n = (size_t)m->desc.n;
    size_t widest = 1;
    memset(v, 0, sizeof *v);
    for (int i = 0; i < m->desc.layers; i++)
        widest = VDI__MAX(widest, (size_t)m->desc.hidden[i]);
    v->room = room;
    v->z = vdi_arena_alloc(&m->arena, rows * d * size);
    v->eta = vdi_arena_alloc(&m->arena, rows * n * size);
    bool ok = v->z && v->eta;
    for (int k = 0; k < 2; k++) {
        v->h[k] = vdi_arena_alloc(&m->arena, rows * widest * size);
        if (tangents) v->j[k] = vdi_arena_alloc(&m->arena, d * rows * widest * size);
        ok = ok && v->h[k] && (!tangents || v->j[k]);
    }
    if (tangents) v->j_eta = vdi_arena_alloc(&m->arena, d * rows * n * size);
    if (ok && (!tangents || v->j_eta)) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
}

/* Tangents through a layer of `next` units with weights w (width,next): from j (d,rows,width), or
 * from the identity, to `to` (d,rows,next). */
VDI__FN void vdi__decoder_push(vdi_dtype dtype, size_t d, size_t rows, size_t width, size_t next,
                               const void *j, const void *w, void *to) {
    const size_t size = vdi_dtype_size(dtype);
    for (size_t k = 0; k < d; k++) {
        char *out = (char *)to + k * rows * next * size;
        if (j) {
            vdi_gemm(dtype, 0, rows, next, width, (const char *)j + k * rows * width * size, width,
                     w, next, out, next);
            continue;
        }
        for (size_t r = 0; r < rows; r++)
            memcpy(out + r * next * size, (const char *)w + k * next * size, next * size);
    }
}

/* eta (rows,n), or its column `only` (rows) if that is not -1, and the tangents, from v->z. */
VDI__FN void vdi__decoder_run(vdi_vilds *m, vdi__decoder *v, int64_t rows, int64_t only) {
    const vdi_dtype dtype = m->desc.dtype;
    const size_t size = vdi_dtype_size(dtype), P = (size_t)rows;
    const size_t d = (size_t)m->desc.d, n = (size_t)m->desc.n;
    const vdi_param *p = &m->params->item[m->at.decoder];
    const void *h = v->z, *j = NULL;
    size_t width = d;
    for (int layer = 0; layer < m->desc.layers; layer++, p += 2) {
        const size_t next = (size_t)m->desc.hidden[layer];
        void *to = v->h[layer & 1], *j_to = v->j[layer & 1];
        vdi_affine(dtype, P, next, width, h, width, p[0].value.data, next, p[1].value.data,
                   VDI_ACT_TANH, 0, to, next);
        if (v->j_eta) {
            vdi__decoder_push(dtype, d, P, width, next, j, p[0].value.data, j_to);
            for (size_t k = 0; k < d; k++) {
                char *jk = (char *)j_to + k * P * next * size;
                vdi_act_grad(dtype, VDI_ACT_TANH, 0, P * next, to, jk, jk);
            }
        }
        h = to;
        j = j_to;
        width = next;
    }
    const size_t columns = only < 0 ? n : 1, skip = only < 0 ? 0 : (size_t)only * size;
    const char *w = (const char *)p[0].value.data, *bias = (const char *)p[1].value.data;
    vdi_affine(dtype, P, columns, width, h, width, w + skip, n, bias + skip, VDI_ACT_NONE, 0,
               v->eta, columns);
    if (v->j_eta) vdi__decoder_push(dtype, d, P, width, n, j, w, v->j_eta);
    if (m->at.skip < 0) return;
    const char *straight = (const char *)m->params->item[m->at.skip].value.data;
    vdi_gemm(dtype, VDI_GEMM_ACC, P, columns, d, v->z, d, straight + skip, n, v->eta, columns);
    for (size_t r = 0; v->j_eta && r < d * P; r++) {
        vdi_axpby(dtype, n, 1, straight + r / P * n * size, 1, (char *)v->j_eta + r * n * size);
    }
}

/* ======== quadrature ========================================================================== */

/* A rule for N(0, I) in d dimensions. */
typedef struct vdi__vilds_rule {
    int64_t count;
    double *x, *w; /* (count,d), (count) */
} vdi__vilds_rule;

/* `nodes` for each dimension, fewer where their product would be more than 2500. */
VDI__FN vdi_status vdi__vilds_rule_make(vdi_vilds *m, int64_t nodes, vdi__vilds_rule *r,
                                        vdi_error *err) {
    const int64_t d = m->desc.d;
    int64_t count = 1;
    while (nodes > 1 && pow((double)nodes, (double)d) > 2500)
        nodes--;
    for (int64_t i = 0; i < d; i++)
        count *= nodes;
    r->count = count;
    r->x = (double *)vdi_arena_alloc(&m->arena, (size_t)(count * d) * sizeof *r->x);
    r->w = (double *)vdi_arena_alloc(&m->arena, (size_t)count * sizeof *r->w);
    if (!r->x || !r->w) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    return vdi_gauss_hermite_product((int)nodes, (int)d, r->x, r->w, err);
}

/* The nodes of N(mean, S) into rows `at` .. of z; chol (d,d) is scratch. False if S is not positive
 * definite. */
VDI__FN bool vdi__vilds_rule_place(const vdi_vilds *m, const vdi__vilds_rule *rule,
                                   const double *mean, const double *S, double *chol, void *z,
                                   int64_t at) {
    const int64_t d = m->desc.d;
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

/* ======== the transition ====================================================================== */

/* Buffers to push points through z -> A z + g(z). */
typedef struct vdi__vilds_steps {
    void *z, *h[2];
    double *to; /* (points,d) */
} vdi__vilds_steps;

VDI__FN vdi_status vdi__vilds_steps_make(vdi_vilds *m, int64_t points, vdi__vilds_steps *v,
                                         vdi_error *err) {
    int64_t widest = m->desc.d;
    for (int i = 0; i < m->desc.transition_layers; i++)
        widest = VDI__MAX(widest, m->desc.transition_hidden[i]);
    const size_t bytes = (size_t)(points * widest) * vdi_dtype_size(m->desc.dtype);
    v->z = vdi_arena_alloc(&m->arena, bytes);
    v->h[0] = vdi_arena_alloc(&m->arena, bytes);
    v->h[1] = vdi_arena_alloc(&m->arena, bytes);
    v->to = (double *)vdi_arena_alloc(&m->arena, (size_t)(points * m->desc.d) * sizeof *v->to);
    if (v->z && v->h[0] && v->h[1] && v->to) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
}

/* A z + g(z) of the points v->z (points,d) into v->to; g only where the model has one. */
VDI__FN void vdi__vilds_steps_run(const vdi_vilds *m, vdi__vilds_steps *v, const double *A,
                                  int64_t points) {
    const int64_t d = m->desc.d;
    const int32_t layers = m->desc.transition_layers;
    const vdi_dtype dtype = m->desc.dtype;
    const bool bent = m->at.transition >= 0;
    const vdi_param *p = bent ? &m->params->item[m->at.transition] : NULL;
    const void *h = v->z;
    size_t width = (size_t)d;
    for (int layer = 0; bent && layer <= layers; layer++, p += 2) {
        const bool last = layer == layers;
        const size_t next = (size_t)(last ? d : m->desc.transition_hidden[layer]);
        vdi_affine(dtype, (size_t)points, next, width, h, width, p[0].value.data, next,
                   p[1].value.data, last ? VDI_ACT_NONE : VDI_ACT_TANH, 0, v->h[layer & 1], next);
        h = v->h[layer & 1];
        width = next;
    }
    for (int64_t q = 0; q < points; q++) {
        for (int64_t i = 0; i < d; i++) {
            double x = bent ? vdi_dtype_load(dtype, h, q * d + i) : 0;
            for (int64_t k = 0; k < d; k++)
                x += A[i * d + k] * vdi_dtype_load(dtype, v->z, q * d + k);
            v->to[q * d + i] = x;
        }
    }
}

/* The mean and covariance of A z + g(z), z ~ N(mean, S), added to mu (d) and cov (d,d). */
VDI__FN bool vdi__vilds_steps_moments(const vdi_vilds *m, const vdi__vilds_rule *rule,
                                      vdi__vilds_steps *v, const double *A, const double *mean,
                                      const double *S, double *chol, double *mu, double *cov) {
    const int64_t d = m->desc.d, Q = rule->count;
    if (!vdi__vilds_rule_place(m, rule, mean, S, chol, v->z, 0)) return false;
    vdi__vilds_steps_run(m, v, A, Q);
    for (int64_t q = 0; q < Q; q++) {
        for (int64_t i = 0; i < d; i++)
            mu[i] += rule->w[q] * v->to[q * d + i];
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
#endif
