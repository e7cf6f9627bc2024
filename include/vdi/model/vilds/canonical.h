/* model/vilds/canonical.h - coordinates of the latents in which two models can be compared
 *
 * Do this:
 *     vdi_flds_canonical(model, data, &err);        stationary covariance I, axes by strength
 *
 * Latents are known only up to an affine map: z -> G z + s with A -> G A G^{-1},
 * f -> f(G^{-1}(z - s)) is the same model. In canonical coordinates the stationary covariance is I
 * and the axes are those of the decoder's mean Jacobian over the posterior means of `data`, the
 * strongest first, each with the sign that makes the sum of its column of the Jacobian positive.
 * Memory: from the model's allocator, given back before return. Errors: statuses; the model stays
 * as it was. Threads: as model/vilds/vilds.h.
 */
#ifndef VDI_MODEL_VILDS_CANONICAL_H
#define VDI_MODEL_VILDS_CANONICAL_H
#include "infer.h"

/** The map to canonical coordinates, G (d,d): z_canonical = G z. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_canonical_map(vdi_vilds *m, vdi_vilds_data *data,
                                                        double *G, vdi_error *err);
/** Rewrite the model itself in canonical coordinates: bounds and predictions do not change.
 * VDI_ERR_UNSUPPORTED unless the posterior is a product with the prior's own dynamics. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_canonical(vdi_vilds *m, vdi_vilds_data *data,
                                                    vdi_error *err);

#endif /* VDI_MODEL_VILDS_CANONICAL_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_CANONICAL_C)
#define VDI_MODEL_VILDS_CANONICAL_C

/* ======== the map ============================================================================= */

enum { VDI__FLDS_STRIP = 512 }; /* bins that go through the decoder together */

/* The decoder's mean Jacobian at the posterior means (trials,T,d), times the number of bins:
 * J (n,d). */
VDI__FN vdi_status vdi__flds_jacobian(vdi_vilds *m, const vdi_vilds_data *data, const double *mean,
                                      double *J, vdi_error *err) {
    const int64_t d = m->desc.d, n = m->desc.n, P = VDI__FLDS_STRIP;
    vdi__decoder decoder;
    vdi_arena_reset(&m->arena);
    const vdi_status status = vdi__decoder_make(m, P, true, &decoder, err);
    if (status < 0) return status;
    memset(J, 0, (size_t)(n * d) * sizeof *J);
    for (int64_t b = 0; b < data->trials; b++) {
        for (int64_t from = 0; from < data->length[b]; from += P) {
            const int64_t count = VDI__MIN(P, data->length[b] - from);
            const double *z = mean + (b * data->T + from) * d;
            for (int64_t i = 0; i < count * d; i++)
                vdi_dtype_store(m->desc.dtype, decoder.z, i, z[i]);
            vdi__decoder_run(m, &decoder, count, -1);
            for (int64_t i = 0; i < d * count * n; i++) {
                J[i % n * d + i / (count * n)] += vdi_dtype_load(m->desc.dtype, decoder.j_eta, i);
            }
        }
    }
    return VDI_OK;
}

/* Work space of the map: the stationary covariance's factor, Jacobians and their decomposition. */
typedef struct vdi__flds_map {
    double *A, *Q, *L, *scratch; /* (d,d), and (3,d,d) of scratch */
    double *J, *U, *s, *Vt;      /* (n,d), (n,d), (d), (d,d) */
    double *svd;
    double *mean; /* (trials,T,d) */
    size_t bytes;
} vdi__flds_map;

VDI__FN bool vdi__flds_map_make(const vdi_vilds *m, const vdi_vilds_data *data, vdi__flds_map *w) {
    const size_t d = (size_t)m->desc.d, n = (size_t)m->desc.n, dd = d * d;
    const size_t means = vdi_mul_size((size_t)(data->trials * data->T), d);
    const size_t numbers = vdi_add_size(7 * dd + 2 * n * d + d + vdi_svd_work(n, d), means);
    w->bytes = vdi_mul_size(numbers, sizeof(double));
    w->A = (double *)vdi_alloc(&m->desc.allocator, w->bytes);
    if (!w->A) return false;
    w->Q = w->A + dd;
    w->L = w->Q + dd;
    w->scratch = w->L + dd;
    w->Vt = w->scratch + 3 * dd;
    w->J = w->Vt + dd;
    w->U = w->J + n * d;
    w->s = w->U + n * d;
    w->svd = w->s + d;
    w->mean = w->svd + vdi_svd_work(n, d);
    return true;
}

/* The axes: right singular vectors of J L, whose columns are the effects of unit steps in whitened
 * latents. */
VDI__FN vdi_status vdi__flds_axes(int64_t d, int64_t n, int64_t bins, vdi__flds_map *w,
                                  vdi_error *err) {
    for (int64_t j = 0; j < n; j++) {
        for (int64_t k = 0; k < d; k++) {
            double sum = 0;
            for (int64_t l = k; l < d; l++)
                sum += w->J[j * d + l] * w->L[l * d + k];
            w->U[j * d + k] = sum / (double)bins;
        }
    }
    memcpy(w->J, w->U, (size_t)(n * d) * sizeof *w->J);
    if (n < d) { /* no more axes than neurons: the rest stays as it is */
        for (int64_t i = 0; i < d * d; i++)
            w->Vt[i] = i / d == i % d;
    } else {
        const vdi_status status =
            vdi_svd(VDI_F64, (size_t)n, (size_t)d, w->J, (size_t)d, w->U, w->s, w->Vt, w->svd, err);
        if (status < 0) return status;
    }
    for (int64_t k = 0; k < d; k++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += vdi__vm_dot(d, w->J + j * d, w->Vt + k * d);
        for (int64_t l = 0; sum < 0 && l < d; l++)
            w->Vt[k * d + l] = -w->Vt[k * d + l];
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_flds_canonical_map(vdi_vilds *m, vdi_vilds_data *data, double *G,
                                           vdi_error *err) {
    static const char where[] = "vdi_flds_canonical_map";
    const int64_t d = m->desc.d, dd = d * d;
    vdi_vilds_result out = VDI__ZERO;
    vdi__flds_map w;
    if (m->at.decoder < 0)
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where, "a user's log joint has no read-out");
    if (!vdi__flds_map_make(m, data, &w))
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    out.mean = w.mean;
    vdi_status status = vdi_vilds_infer(m, data, NULL, &out, err);
    if (status >= 0) status = vdi__flds_jacobian(m, data, w.mean, w.J, err);
    if (status >= 0) status = vdi_vilds_get_covariance(m, "prior.Q", w.Q, err);
    if (status >= 0) {
        for (int64_t i = 0; i < dd; i++)
            w.A[i] = vdi__vilds_get(&m->params->item[m->at.prior.A], i);
        vdi__vm_stationary(d, w.A, w.Q, w.L, w.scratch);
        status = vdi_cholesky(VDI_F64, (size_t)d, w.L, (size_t)d, err);
    }
    if (status >= 0) status = vdi__flds_axes(d, m->desc.n, data->total, &w, err);
    if (status >= 0) { /* G = V' L^{-1} */
        memcpy(G, w.Vt, (size_t)dd * sizeof *G);
        vdi_trsm(VDI_F64, VDI_TRSM_RIGHT, (size_t)d, (size_t)d, w.L, (size_t)d, G, (size_t)d);
    }
    vdi_free(&m->desc.allocator, w.A, w.bytes);
    return status;
}

/* ======== the model in canonical coordinates ================================================== */

/* x = M^{-1} x by Gauss with pivots: M (d,d), work (d,d). False if M is singular. */
VDI__FN bool vdi__flds_solve(int64_t d, const double *M, double *x, double *work) {
    memcpy(work, M, (size_t)(d * d) * sizeof *work);
    for (int64_t k = 0; k < d; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < d; i++) {
            if (fabs(work[i * d + k]) > fabs(work[best * d + k])) best = i;
        }
        if (!(fabs(work[best * d + k]) > 0)) return false;
        for (int64_t j = 0; j < d; j++) {
            const double t = work[k * d + j];
            work[k * d + j] = work[best * d + j];
            work[best * d + j] = t;
        }
        const double t = x[k];
        x[k] = x[best];
        x[best] = t;
        for (int64_t i = k + 1; i < d; i++) {
            const double f = work[i * d + k] / work[k * d + k];
            for (int64_t j = k; j < d; j++)
                work[i * d + j] -= f * work[k * d + j];
            x[i] -= f * x[k];
        }
    }
    for (int64_t k = d - 1; k >= 0; k--) {
        for (int64_t j = k + 1; j < d; j++)
            x[k] -= work[k * d + j] * x[j];
        x[k] /= work[k * d + k];
    }
    return true;
}

/* A linear map of the latents, and scratch. */
typedef struct vdi__flds_change {
    int64_t d;
    double *G, *Gi;         /* (d,d) */
    double *tmp, *work, *x; /* (d,d), (d,d), (2,d) */
} vdi__flds_change;

/* M <- L M R, (d,d) each */
VDI__FN void vdi__flds_sandwich(const vdi__flds_change *c, const double *L, double *M,
                                const double *R, bool transpose_right) {
    const size_t bytes = (size_t)(c->d * c->d) * sizeof *M;
    memset(c->tmp, 0, bytes);
    vdi__vm_mul(c->d, 1, L, false, M, false, c->tmp);
    memset(M, 0, bytes);
    vdi__vm_mul(c->d, 1, c->tmp, false, R, transpose_right, M);
}

/* Of a parameter the d numbers first, first + stride, ...: x <- op(M) x. */
VDI__FN void vdi__flds_change_vector(const vdi__flds_change *c, const double *M, bool transpose,
                                     vdi_param *p, int64_t first, int64_t stride) {
    const int64_t d = c->d;
    for (int64_t i = 0; i < d; i++) {
        c->x[i] = vdi__vilds_get(p, first + i * stride);
        c->x[d + i] = 0;
    }
    vdi__vm_apply(d, 1, M, transpose, c->x, c->x + d);
    for (int64_t i = 0; i < d; i++)
        vdi__vilds_put(p, first + i * stride, c->x[d + i]);
}

/* Rows (..,d) that are latents: x <- G x. */
VDI__FN void vdi__flds_change_rows(const vdi__flds_change *c, vdi_vilds *m, int64_t index) {
    if (index < 0) return;
    vdi_param *p = &m->params->item[index];
    for (int64_t r = 0; r < vdi_tensor_count(p->value) / c->d; r++)
        vdi__flds_change_vector(c, c->G, false, p, r * c->d, 1);
}

/* Weights (d,columns) that latents meet: W <- G^{-T} W. */
VDI__FN void vdi__flds_change_weights(const vdi__flds_change *c, vdi_vilds *m, int64_t index) {
    if (index < 0) return;
    vdi_param *p = &m->params->item[index];
    const int64_t columns = p->value.shape[1];
    for (int64_t k = 0; k < columns; k++)
        vdi__flds_change_vector(c, c->Gi, true, p, k, columns);
}

/* What gives the encoder's output (..,d + d d): h, then the columns of R, by G^{-T}. */
VDI__FN void vdi__flds_change_factors(const vdi__flds_change *c, vdi_vilds *m, int64_t index) {
    const int64_t d = c->d, outputs = d + d * d;
    if (index < 0) return;
    vdi_param *p = &m->params->item[index];
    for (int64_t r = 0; r < vdi_tensor_count(p->value) / outputs; r++) {
        vdi__flds_change_vector(c, c->Gi, true, p, r * outputs, 1);
        for (int64_t k = 0; k < d; k++)
            vdi__flds_change_vector(c, c->Gi, true, p, r * outputs + d + k, d);
    }
}

/* G and its inverse. */
VDI__FN vdi_status vdi__flds_change_make(vdi_vilds *m, vdi_vilds_data *data, vdi__flds_change *c,
                                         vdi_error *err) {
    const int64_t d = c->d;
    const vdi_status status = vdi_flds_canonical_map(m, data, c->G, err);
    if (status < 0) return status;
    for (int64_t k = 0; k < d; k++) {
        for (int64_t i = 0; i < d; i++)
            c->x[i] = i == k;
        if (!vdi__flds_solve(d, c->G, c->x, c->work)) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_flds_canonical",
                                 "the map to canonical coordinates is singular");
        }
        for (int64_t i = 0; i < d; i++)
            c->Gi[i * d + k] = c->x[i];
    }
    return VDI_OK;
}

/* G cov G' for Q and Q0, G A G^{-1}. */
VDI__FN vdi_status vdi__flds_change_dynamics(const vdi__flds_change *c, vdi_vilds *m, double *cov,
                                             vdi_error *err) {
    static const char *const name[2] = {"prior.Q", "prior.Q0"};
    vdi_param *A = &m->params->item[m->at.prior.A];
    vdi_status status = VDI_OK;
    for (int k = 0; k < 2 && status >= 0; k++)
        status = vdi_vilds_get_covariance(m, name[k], cov + k * c->d * c->d, err);
    for (int k = 0; k < 2 && status >= 0; k++) {
        vdi__flds_sandwich(c, c->G, cov + k * c->d * c->d, c->G, true);
        status = vdi_vilds_set_covariance(m, name[k], cov + k * c->d * c->d, err);
    }
    if (status < 0) return status;
    for (int64_t i = 0; i < c->d * c->d; i++)
        cov[i] = vdi__vilds_get(A, i);
    vdi__flds_sandwich(c, c->G, cov, c->Gi, false);
    for (int64_t i = 0; i < c->d * c->d; i++)
        vdi__vilds_put(A, i, cov[i]);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_flds_canonical(vdi_vilds *m, vdi_vilds_data *data, vdi_error *err) {
    static const char where[] = "vdi_flds_canonical";
    const int64_t d = m->desc.d, dd = d * d, layers = m->desc.encoder_layers;
    const vdi__vilds_places *at = &m->at;
    const size_t bytes = (size_t)(6 * dd + 2 * d) * sizeof(double);
    vdi__flds_change c;
    if (!vdi__family_of(m->desc.posterior)->natural || m->desc.untied) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "expected a product posterior with the prior's dynamics");
    }
    c.d = d;
    c.G = (double *)vdi_alloc(&m->desc.allocator, bytes);
    if (!c.G) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    c.Gi = c.G + dd;
    c.tmp = c.Gi + dd;
    c.work = c.tmp + dd;
    double *cov = c.work + dd;
    c.x = cov + 2 * dd;
    vdi_status status = vdi__flds_change_make(m, data, &c, err);
    if (status >= 0) status = vdi__flds_change_dynamics(&c, m, cov, err);
    if (status >= 0) {
        const int64_t g = at->transition, g_last = g + 2 * m->desc.transition_layers;
        vdi__flds_change_rows(&c, m, at->prior.x0);
        vdi__flds_change_rows(&c, m, at->prior.B);
        vdi__flds_change_rows(&c, m, g < 0 ? -1 : g_last); /* g -> G g(G^{-1} .) */
        vdi__flds_change_rows(&c, m, g < 0 ? -1 : g_last + 1);
        vdi__flds_change_weights(&c, m, at->decoder);
        vdi__flds_change_weights(&c, m, at->skip);
        vdi__flds_change_weights(&c, m, g);
        vdi__flds_change_factors(&c, m, layers ? at->net + 2 * layers - 2 : at->window);
        vdi__flds_change_factors(&c, m, layers ? at->net + 2 * layers - 1 : at->bias);
        vdi__flds_change_factors(&c, m, layers ? -1 : at->mask);
    }
    vdi_free(&m->desc.allocator, c.G, bytes);
    return status;
}
#endif
