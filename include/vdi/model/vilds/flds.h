/* model/vilds/flds.h - fLDS, PfLDS, GCfLDS: a low-dimensional linear dynamical latent whose network
 * read-out gives a population's firing rates (Gao, Archer, Paninski, Cunningham 2016), on
 * model/vilds/vilds.h
 *
 *     z_t = A z_{t-1} + N(0, Q),   y_tn ~ P(link(f_n(z_t))),   f a network with two hidden layers
 *     of 60 tanh units
 *
 * Do this:
 *     vdi_vilds_desc desc = VDI__ZERO;
 *     desc.d = 2;
 *     desc.n = 40;
 *     desc = vdi_flds_recipe(&desc, VDI_FLDS_DENSE);   a recipe that was measured
 *     vdi_vilds_create(&desc, &model, &err);
 *     vdi_vilds_fit(model, data, NULL, NULL, NULL, &err);
 *     vdi_flds_canonical(model, data, &err);           stationary covariance I, axes by strength
 *     vdi_flds_scores s;
 *     vdi_flds_score(model, data, train_means, NULL, &s, &err);   bits per spike, MSE
 *
 * Latents are known only up to an affine map: z -> G z + s with A -> G A G^{-1}, f -> f(G^{-1}(z -
 * s)) is the same model. The canonical strongest first, each axis with the sign that makes the sum
 * of its column of the Jacobian positive.
 * Memory: from the model's allocator, given back before return. Errors: statuses; the model stays
 * as it was.
 * Threads: as model/vilds/vilds.h. What it does NOT do: choose d.
 */
#ifndef VDI_MODEL_VILDS_FLDS_H
#define VDI_MODEL_VILDS_FLDS_H
#include "../plds/plds.h"
#include "vilds.h"

/** Recipes of training, by the kind of data. */
typedef enum vdi_flds_kind {
    VDI_FLDS_DENSE = 0, /**< many spikes a bin, tuning not monotone: 16 starts, rate 1e-2, Q0 and x0
                             fixed */
    VDI_FLDS_SPARSE,    /**< few spikes: gentler rates, Q0 and x0 free, a penalty on the decoder's
                             weights */
    VDI_FLDS_SMOOTH,    /**< rates near log-linear in the latent: one start; gentler rates, Q0 and
                             x0 free, the same penalty */
    VDI_FLDS_FROM_PLDS
    /**< few spikes and few trials: the read-out of a Poisson LDS, to which a network adds; goes on
         with vdi_vilds_init, vdi_flds_from_plds, vdi_flds_fit_encoder, vdi_vilds_fit */
} vdi_flds_kind;
/** `desc` with the fields that are still zero filled in by the recipe. */
VDI_API vdi_vilds_desc vdi_flds_recipe(const vdi_vilds_desc *desc, vdi_flds_kind kind);
/** Start from a Poisson LDS: its A, Q, x0, Q0; its C and b in a linear decoder (desc.linear) or in
 * the skip of a network (desc.skip) whose own output begins at 0. Then vdi_vilds_fit runs the full
 * schedule from there. Call after vdi_vilds_init. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_from_plds(vdi_vilds *m, const vdi_plds *plds,
                                                    vdi_error *err);
/** Train the encoder alone on the model as it stands, so that what vdi_vilds_fit begins with is not
 * an encoder at random; then the schedule begins. `steps` 0: 400. Stops for no callback; an
 * interrupted or failed call leaves the parameters finite. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_fit_encoder(vdi_vilds *m, vdi_vilds_data *data,
                                                      int64_t steps, vdi_error *err);
/** The map to canonical coordinates, G (d,d): z_canonical = G z. From posterior means of `data`. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_canonical_map(vdi_vilds *m, vdi_vilds_data *data,
                                                        double *G, vdi_error *err);
/** Rewrite the model itself in canonical coordinates: bounds and predictions do not change. Product
 * posterior. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_canonical(vdi_vilds *m, vdi_vilds_data *data,
                                                    vdi_error *err);

/** What vdi_flds_score finds. */
typedef struct vdi_flds_scores {
    double lno_bits, lno_mse; /**< leave-one-neuron-out, bits per spike against the training means;
                                   mean squared error of E_q rate */
    double one_step_bits, one_step_mse; /**< one step ahead */
} vdi_flds_scores;
/** Leave-one-out and one-step prediction, the latent integrated over. train_means (n): counts per
 * bin. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_score(vdi_vilds *m, vdi_vilds_data *data,
                                                const double *train_means, const vdi_vilds_query *q,
                                                vdi_flds_scores *out, vdi_error *err);

#endif /* VDI_MODEL_VILDS_FLDS_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_FLDS_C)
#define VDI_MODEL_VILDS_FLDS_C

VDI__DEF vdi_vilds_desc vdi_flds_recipe(const vdi_vilds_desc *desc, vdi_flds_kind kind) {
    vdi_vilds_desc d = VDI__ZERO;
    if (desc) d = *desc;
    vdi_vilds_train *t = &d.train;
    bool plds = kind == VDI_FLDS_FROM_PLDS;
    bool sparse = kind == VDI_FLDS_SPARSE || plds;
    bool dense = kind == VDI_FLDS_DENSE;
    if (plds) {
        d.skip = !d.linear;
        if (t->restarts == 0) t->restarts = 1;
        /* open from the first step on */
        if (t->open_from == 0 && t->open_to == 0) t->open_to = 1e-9;
    }
    if (d.first_scale == 0) d.first_scale = kind == VDI_FLDS_SMOOTH || plds ? 1 : 2.5;
    if (t->rate == 0) t->rate = dense ? 1e-2 : 5e-3;
    if (t->steps == 0) t->steps = dense ? 1500 : sparse ? 800 : 1000;
    if (t->restarts == 0) t->restarts = kind == VDI_FLDS_SMOOTH ? 1 : 16;
    if (t->restart_steps == 0) t->restart_steps = sparse ? 200 : 250;
    if (!dense) {
        d.free_start = true;
        if (d.a0 == 0) d.a0 = 0.95;
        if (t->weight_decay == 0) t->weight_decay = 1;
    }
    if (sparse && t->open_from == 0 && t->open_to == 0) {
        t->open_from = 0.2;
        t->open_to = 0.3;
    }
    return vdi_vilds_desc_defaults(&d);
}

VDI__FN double vdi__flds_get(const vdi_param *p, int64_t i) {
    return vdi_dtype_load(p->value.dtype, p->value.data, i);
}
VDI__FN void vdi__flds_put(vdi_param *p, int64_t i, double v) {
    vdi_dtype_store(p->value.dtype, p->value.data, i, v);
}

VDI__DEF vdi_status vdi_flds_from_plds(vdi_vilds *m, const vdi_plds *plds, vdi_error *err) {
    static const char where[] = "vdi_flds_from_plds";
    int64_t d = m->desc.d, n = m->desc.n;
    if (plds->desc.d != d || plds->desc.n != n) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "the Poisson LDS has d %lld, n %lld; the model d %lld, n %lld",
                             (long long)plds->desc.d, (long long)plds->desc.n, (long long)d,
                             (long long)n);
    }
    if (m->decoder < 0 || (m->desc.layers && m->skip < 0) || m->desc.obs == VDI_VILDS_GAUSSIAN ||
        m->desc.obs == VDI_VILDS_BERNOULLI ||
        (m->desc.link != VDI_VILDS_EXP && m->desc.obs != VDI_VILDS_COUNT)) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "expected counts with exp link, and a linear decoder or a skip");
    }
    vdi_status status = vdi_vilds_set_covariance(m, "prior.Q", plds->Q, err);
    if (status >= 0) status = vdi_vilds_set_covariance(m, "prior.Q0", plds->Q0, err);
    if (status < 0) return status;
    vdi_param *last = &m->params->item[m->decoder + 2 * m->desc.layers];
    vdi_param *C = m->desc.layers ? &m->params->item[m->skip] : last;
    for (int64_t i = 0; i < d * d; i++)
        vdi__flds_put(&m->params->item[m->A], i, plds->A[i]);
    for (int64_t i = 0; i < d; i++)
        vdi__flds_put(&m->params->item[m->x0], i, plds->x0[i]);
    if (m->desc.layers) vdi_tensor_fill(last->value, 0);
    for (int64_t j = 0; j < n; j++) {
        vdi__flds_put(last + 1, j, plds->b[j]);
        for (int64_t i = 0; i < d; i++)
            vdi__flds_put(C, i * n + j, plds->C[j * d + i]);
    }
    vdi_vilds_resume_from_here(m);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_flds_fit_encoder(vdi_vilds *m, vdi_vilds_data *data, int64_t steps,
                                         vdi_error *err) {
    const vdi_vilds_train kept = m->desc.train;
    vdi_param *p = m->params->item;
    int64_t count = m->params->count;
    bool *frozen = (bool *)vdi_alloc(&m->desc.allocator, (size_t)count);
    if (!frozen) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_flds_fit_encoder", "no memory");
    for (int64_t i = 0; i < count; i++) {
        frozen[i] = p[i].frozen;
        p[i].frozen = frozen[i] || strncmp(p[i].name, "encoder", 7) != 0;
    }
    m->desc.train.restarts = 1;
    m->desc.train.steps = steps > 0 ? steps : 400;
    m->desc.train.rate = 1e-2;
    m->desc.train.last_rate = 1e-3;
    vdi_vilds_resume_from_here(m);
    vdi_status status = vdi_vilds_fit(m, data, NULL, NULL, NULL, err);
    for (int64_t i = 0; i < count; i++)
        p[i].frozen = frozen[i];
    m->desc.train = kept;
    vdi_vilds_resume_from_here(m);
    vdi_free(&m->desc.allocator, frozen, (size_t)count);
    return status;
}

/* ======== canonical coordinates =============================================================== */

VDI__DEF vdi_status vdi_flds_canonical_map(vdi_vilds *m, vdi_vilds_data *data, double *G,
                                           vdi_error *err) {
    static const char where[] = "vdi_flds_canonical_map";
    int64_t d = m->desc.d;
    int64_t n = m->desc.n;
    int64_t T = data->T;
    int64_t dd = d * d;
    int64_t P = 512;
    int64_t rows = 0;
    if (m->decoder < 0)
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where, "a user's log joint has no read-out");
    size_t bytes = (size_t)(data->trials * T * d) * sizeof(double);
    size_t work = (size_t)(8 * dd + 2 * n * d + d + (int64_t)vdi_svd_work((size_t)n, (size_t)d)) *
                  sizeof(double);
    double *mean = (double *)vdi_alloc(&m->desc.allocator, bytes);
    double *w = (double *)vdi_alloc(&m->desc.allocator, work);
    vdi_status status = mean && w ? VDI_OK : vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    if (status >= 0) {
        vdi_vilds_result out = VDI__ZERO;
        double *A = w;
        double *Q = A + dd;
        double *S = Q + dd;
        double *scratch = S + dd;
        double *J = w + 7 * dd;
        double *U = J + n * d;
        double *s = U + n * d;
        double *Vt = w + 6 * dd;
        double *svd = s + d;
        vdi__vdecoder dec;
        out.mean = mean;
        status = vdi_vilds_infer(m, data, NULL, &out, err);
        if (status >= 0) status = vdi_vilds_get_covariance(m, "prior.Q", Q, err);
        vdi_arena_reset(&m->arena);
        if (status >= 0) status = vdi__vdecoder_make(m, P, true, &dec, err);
        if (status >= 0) {
            for (int64_t i = 0; i < dd; i++)
                A[i] = vdi__flds_get(&m->params->item[m->A], i);
            vdi__vm_stationary(d, A, Q, S, scratch);
            status = vdi_cholesky(VDI_F64, (size_t)d, S, (size_t)d, err);
        }
        memset(J, 0, (size_t)(n * d) * sizeof *J);
        for (int64_t b = 0; b < data->trials && status >= 0; b++) {
            for (int64_t from = 0; from < data->length[b]; from += P) {
                int64_t count = VDI__MIN(P, data->length[b] - from);
                for (int64_t i = 0; i < count * d; i++)
                    vdi_dtype_store(m->desc.dtype, dec.z, i, mean[(b * T + from) * d + i]);
                vdi__vdecoder_run(m, &dec, count, -1);
                for (int64_t k = 0; k < d; k++) {
                    for (int64_t r = 0; r < count; r++) {
                        for (int64_t j = 0; j < n; j++) {
                            J[j * d + k] +=
                                vdi_dtype_load(m->desc.dtype, dec.jeta, (k * count + r) * n + j);
                        }
                    }
                }
                rows += count;
            }
        }
        if (status >= 0) {
            for (int64_t j = 0; j < n; j++) {
                for (int64_t k = 0; k < d; k++) {
                    double sum = 0;
                    for (int64_t l = k; l < d; l++)
                        sum += J[j * d + l] * S[l * d + k];
                    U[j * d + k] = sum / (double)rows;
                }
            }
            memcpy(J, U, (size_t)(n * d) * sizeof *J);
            if (n < d) { /* no more axes than neurons: the rest stays as it is */
                for (int64_t i = 0; i < dd; i++)
                    Vt[i] = i / d == i % d;
            } else {
                status = vdi_svd(VDI_F64, (size_t)n, (size_t)d, J, (size_t)d, U, s, Vt, svd, err);
            }
        }
        if (status >= 0) {
            for (int64_t k = 0; k < d; k++) {
                double sum = 0;
                for (int64_t j = 0; j < n; j++)
                    sum += vdi__vm_dot(d, J + j * d, Vt + k * d);
                for (int64_t l = 0; sum < 0 && l < d; l++)
                    Vt[k * d + l] = -Vt[k * d + l];
            }
            memcpy(G, Vt, (size_t)dd * sizeof *G); /* G = V' L^{-1} */
            vdi_trsm(VDI_F64, VDI_TRSM_RIGHT, (size_t)d, (size_t)d, S, (size_t)d, G, (size_t)d);
        }
    }
    vdi_free(&m->desc.allocator, mean, bytes);
    vdi_free(&m->desc.allocator, w, work);
    return status;
}

/* x = M^{-1} x by Gauss with pivots: M (d,d), work (d,d). False if M is singular. */
VDI__FN bool vdi__flds_solve(int64_t d, const double *M, double *x, double *work) {
    memcpy(work, M, (size_t)(d * d) * sizeof *work);
    for (int64_t k = 0; k < d; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < d; i++)
            if (fabs(work[i * d + k]) > fabs(work[best * d + k])) best = i;
        if (!(fabs(work[best * d + k]) > 0)) return false;
        for (int64_t j = 0; j < d; j++) {
            double t = work[k * d + j];
            work[k * d + j] = work[best * d + j];
            work[best * d + j] = t;
        }
        double t = x[k];
        x[k] = x[best];
        x[best] = t;
        for (int64_t i = k + 1; i < d; i++) {
            double f = work[i * d + k] / work[k * d + k];
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

VDI__DEF vdi_status vdi_flds_canonical(vdi_vilds *m, vdi_vilds_data *data, vdi_error *err) {
    static const char where[] = "vdi_flds_canonical";
    int64_t d = m->desc.d, dd = d * d;
    if (m->desc.posterior != VDI_VILDS_PRODUCT || m->desc.untied) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "expected a product posterior with the prior's dynamics");
    }
    double *w = (double *)vdi_alloc(&m->desc.allocator, (size_t)(12 * dd + 2 * d) * sizeof *w);
    if (!w) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    double *G = w;
    double *Gt = w + dd;
    double *cov[2];
    double *A = w + 4 * dd;
    double *tmp = w + 5 * dd;
    double *work = w + 6 * dd;
    double *Gi = w + 7 * dd;
    double *x = w + 8 * dd;
    cov[0] = w + 2 * dd;
    cov[1] = w + 3 * dd;
    vdi_status status = vdi_flds_canonical_map(m, data, G, err);
    if (status >= 0) status = vdi_vilds_get_covariance(m, "prior.Q", cov[0], err);
    if (status >= 0) status = vdi_vilds_get_covariance(m, "prior.Q0", cov[1], err);
    for (int64_t i = 0; i < dd && status >= 0; i++)
        Gt[i] = G[i % d * d + i / d];
    for (int64_t k = 0; k < d && status >= 0; k++) { /* column k of G^{-1} */
        for (int64_t i = 0; i < d; i++)
            x[i] = i == k;
        if (!vdi__flds_solve(d, G, x, work)) {
            status = vdi_error_set(err, VDI_ERR_NUMERIC, where,
                                   "the map to canonical coordinates is singular");
        }
        for (int64_t i = 0; i < d; i++)
            Gi[i * d + k] = x[i];
    }
    if (status >= 0) {
        vdi_param *p = m->params->item;
        for (int k = 0; k < 2 && status >= 0; k++) { /* G cov G' */
            memset(tmp, 0, (size_t)dd * sizeof *tmp);
            vdi__vm_mul(d, 1, G, false, cov[k], false, tmp);
            memset(cov[k], 0, (size_t)dd * sizeof *tmp);
            vdi__vm_mul(d, 1, tmp, false, G, true, cov[k]);
            status = vdi_vilds_set_covariance(m, k ? "prior.Q0" : "prior.Q", cov[k], err);
        }
        for (int64_t i = 0; i < dd; i++)
            A[i] = vdi__flds_get(&p[m->A], i);
        memset(tmp, 0, (size_t)dd * sizeof *tmp);
        vdi__vm_mul(d, 1, G, false, A, false, tmp);
        memset(A, 0, (size_t)dd * sizeof *A);
        vdi__vm_mul(d, 1, tmp, false, Gi, false, A);
        for (int64_t i = 0; i < dd; i++)
            vdi__flds_put(&p[m->A], i, A[i]);
        int64_t index[4], g = m->transition;
        index[0] = m->x0;
        index[1] = m->B;
        index[2] = g < 0 ? -1 : g + 2 * m->desc.transition_layers;
        index[3] = g < 0 ? -1 : index[2] + 1; /* g -> G g(G^{-1} .) */
        for (int k = 0; k < 4; k++) {
            for (int64_t r = 0; index[k] >= 0 && r < vdi_tensor_count(p[index[k]].value) / d; r++) {
                for (int64_t i = 0; i < d; i++) {
                    x[i] = vdi__flds_get(&p[index[k]], r * d + i);
                    x[d + i] = 0;
                }
                vdi__vm_apply(d, 1, G, false, x, x + d);
                for (int64_t i = 0; i < d; i++)
                    vdi__flds_put(&p[index[k]], r * d + i, x[d + i]);
            }
        }
        index[0] = m->decoder;
        index[1] = m->skip;
        index[2] = g;
        for (int k = 0; k < 3; k++) {
            if (index[k] < 0) continue;
            int64_t columns = p[index[k]].value.shape[1];
            for (int64_t c = 0; c < columns; c++) {
                for (int64_t i = 0; i < d; i++) {
                    x[i] = vdi__flds_get(&p[index[k]], i * columns + c);
                    x[d + i] = 0;
                }
                vdi__vm_apply(d, 1, Gi, true, x, x + d); /* W -> G^{-T} W */
                for (int64_t i = 0; i < d; i++)
                    vdi__flds_put(&p[index[k]], i * columns + c, x[d + i]);
            }
        }
        int64_t outputs = d + dd, layers = m->desc.encoder_layers;
        const int64_t last[4] = {layers ? m->net + 2 * layers - 2 : m->window,
                                 layers ? m->net + 2 * layers - 1 : m->bias, layers ? -1 : m->mask,
                                 -1};
        for (int k = 0; k < 3; k++) {
            for (int64_t r = 0; last[k] >= 0 && r < vdi_tensor_count(p[last[k]].value) / outputs;
                 r++) {
                for (int64_t c = 0; c < d + 1; c++) { /* h, then the columns of R */
                    for (int64_t i = 0; i < d; i++) {
                        x[i] =
                            vdi__flds_get(&p[last[k]], r * outputs + (c ? d + i * d + c - 1 : i));
                        x[d + i] = 0;
                    }
                    vdi__vm_apply(d, 1, Gi, true, x, x + d);
                    for (int64_t i = 0; i < d; i++) {
                        vdi__flds_put(&p[last[k]], r * outputs + (c ? d + i * d + c - 1 : i),
                                      x[d + i]);
                    }
                }
            }
        }
    }
    vdi_free(&m->desc.allocator, w, (size_t)(12 * dd + 2 * d) * sizeof *w);
    return status;
}

/* ======== scores ============================================================================== */

VDI__DEF vdi_status vdi_flds_score(vdi_vilds *m, vdi_vilds_data *data, const double *train_means,
                                   const vdi_vilds_query *q, vdi_flds_scores *out, vdi_error *err) {
    size_t cells = (size_t)(data->trials * data->T * data->n);
    double *w = (double *)vdi_alloc(&m->desc.allocator, 2 * cells * sizeof *w);
    if (!w) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_flds_score", "no memory");
    vdi_status status = VDI_OK;
    for (int k = 0; k < 2 && status >= 0; k++) {
        status = vdi_vilds_predict(m, data, k ? VDI_VILDS_ONE_STEP : VDI_VILDS_LEAVE_ONE_OUT, q, w,
                                   w + cells, err);
        double gain = 0;
        double spikes = 0;
        double squares = 0;
        double values = 0;
        for (size_t i = 0; i < cells && status >= 0; i++) {
            size_t row = i / (size_t)data->n, j = i % (size_t)data->n;
            bool seen = data->seen ? data->seen[i] != 0
                                   : (int64_t)row % data->T < data->length[row / (size_t)data->T];
            if (!seen) continue;
            double y = vdi_dtype_load(data->dtype, data->y, (int64_t)i);
            double mean = train_means[j] > 1e-9 ? train_means[j] : 1e-9;
            gain += w[i] - (y * log(mean) - mean -
                            vdi_dtype_load(data->dtype, data->log_factorial, (int64_t)i));
            spikes += y;
            values += 1;
            squares += (y - w[cells + i]) * (y - w[cells + i]);
        }
        if (status >= 0 && !(spikes > 0)) {
            status = vdi_error_set(err, VDI_ERR_DATA, "vdi_flds_score",
                                   "there is no spike: bits per spike is undefined");
        }
        *(k ? &out->one_step_bits : &out->lno_bits) = gain / (spikes * log(2.0));
        *(k ? &out->one_step_mse : &out->lno_mse) = squares / values;
    }
    vdi_free(&m->desc.allocator, w, 2 * cells * sizeof *w);
    return status;
}
#endif
