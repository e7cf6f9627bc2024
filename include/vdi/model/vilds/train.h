/* model/vilds/train.h - the model object, its batches, its ELBO and its training; declared in
 * vilds.h
 *
 * A batch packs the bins that count of ragged trials one behind another, so networks never see
 * padding; trials meet the padded algebra over time through one gather. A batch of equal lengths
 * needs no gather at all.
 */
#ifndef VDI_MODEL_VILDS_TRAIN_H
#define VDI_MODEL_VILDS_TRAIN_H
#include "posterior.h"
#endif /* VDI_MODEL_VILDS_TRAIN_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_TRAIN_C)
#define VDI_MODEL_VILDS_TRAIN_C

/* ======== the model object ==================================================================== */

/* counters and numbers of the training: all that a run needs to go on, besides parameters and the
 * optimiser's memory */
enum {
    VDI__V_START,
    VDI__V_STEP,
    VDI__V_DONE,
    VDI__V_UNDONE,
    VDI__V_READY,
    VDI__V_STALE,
    VDI__V_HAVE_BEST,
    VDI__V_BEST_START
};
enum { VDI__V_SCALE, VDI__V_START_ELBO, VDI__V_BEST, VDI__V_VALIDATION, VDI__V_ELBO, VDI__V_GATE };
enum { VDI__V_RNG_INIT = 1, VDI__V_RNG_ORDER, VDI__V_RNG_MASK, VDI__V_RNG_EPS, VDI__V_RNG_SCORE };

VDI__FN vdi_rng vdi__vilds_rng(uint64_t seed, int what, int64_t a, int64_t b) {
    return vdi_rng_make(seed ^ (uint64_t)what << 56, (uint64_t)a << 24 ^ (uint64_t)b);
}

VDI__FN int64_t vdi__vilds_add(vdi_vilds *m, vdi_param_desc p) {
    if (m->list) m->list[m->list_count] = p;
    return m->list_count++;
}

/* The list of parameters; run once to count it and once to write it. */
VDI__FN void vdi__vilds_declare(vdi_vilds *m) {
    const vdi_vilds_desc *d = &m->desc;
    const vdi_vilds_family_ops *family = vdi_vilds_family_of(d->posterior);
    int dd = (int)d->d;
    int n = (int)d->n;
    int u = (int)d->inputs;
    int outputs = (int)family->outputs(d->d);
    int width = (int)(2 * d->reach + 1);
    int first = d->encoder_layers ? (int)d->encoder_hidden[0] : outputs;
    vdi_param_desc p;
    m->list_count = 0;
    m->skip = m->extra = m->decoder = m->net = m->B = m->own_B = m->transition = -1;
    for (int own = 0; own <= (int)d->untied; own++) {
        int64_t at[5];
        at[4] = -1;
        at[0] = vdi__vilds_add(
            m, vdi_param_2d(own ? "own.A" : "prior.A", VDI_INIT_IDENTITY, d->a0, dd, dd));
        at[1] = vdi__vilds_add(m, vdi_param_2d(own ? "own.Q" : "prior.Q", VDI_INIT_IDENTITY,
                                               -0.5 * log1p(-d->a0 * d->a0), dd, dd));
        p = vdi_param_2d(own ? "own.Q0" : "prior.Q0", VDI_INIT_ZEROS, 0, dd, dd);
        p.frozen = !d->free_start;
        at[2] = vdi__vilds_add(m, p);
        p = vdi_param_1d(own ? "own.x0" : "prior.x0", VDI_INIT_ZEROS, 0, dd);
        p.frozen = !d->free_start;
        at[3] = vdi__vilds_add(m, p);
        if (u) {
            at[4] = vdi__vilds_add(
                m, vdi_param_2d(own ? "own.B" : "prior.B", VDI_INIT_ZEROS, 0, u, dd));
        }
        if (own) {
            m->own_A = at[0];
            m->own_Q = at[1];
            m->own_Q0 = at[2];
            m->own_x0 = at[3];
            m->own_B = at[4];
        } else {
            m->A = at[0];
            m->Q = at[1];
            m->Q0 = at[2];
            m->x0 = at[3];
            m->B = at[4];
        }
    }
    p = vdi_param_3d("encoder.window", VDI_INIT_FAN_IN, 1, width, n, first);
    p.fan_in = (int64_t)(width + 1) * n;
    m->window = vdi__vilds_add(m, p);
    p = vdi_param_2d("encoder.mask", VDI_INIT_FAN_IN, 1, n, first);
    p.fan_in = (int64_t)(width + 1) * n;
    m->mask = vdi__vilds_add(m, p);
    p = vdi_param_1d("encoder.bias", VDI_INIT_FAN_IN, 1, first);
    p.fan_in = (int64_t)(width + 1) * n;
    m->bias = vdi__vilds_add(m, p);
    if (d->encoder_layers) {
        vdi_mlp_desc *e = &m->net_desc;
        memset(e, 0, sizeof *e);
        e->name = "encoder.net";
        e->layers = d->encoder_layers;
        e->act = VDI_ACT_TANH;
        for (int i = 0; i < d->encoder_layers; i++)
            e->sizes[i] = d->encoder_hidden[i];
        e->sizes[d->encoder_layers] = outputs;
        m->net = m->list_count;
        m->list_count += vdi_mlp_declare(e, m->list ? m->list + m->list_count : NULL,
                                         m->list ? 2 * d->encoder_layers : 0);
    }
    if (!d->log_joint) {
        vdi_mlp_desc *g = &m->decoder_desc;
        memset(g, 0, sizeof *g);
        g->name = "decoder";
        g->layers = d->layers + 1;
        g->act = VDI_ACT_TANH;
        g->sizes[0] = dd;
        g->sizes[d->layers + 1] = n;
        for (int i = 0; i < d->layers; i++)
            g->sizes[i + 1] = d->hidden[i];
        m->decoder = m->list_count;
        m->list_count += vdi_mlp_declare(g, m->list ? m->list + m->list_count : NULL,
                                         m->list ? 2 * (d->layers + 1) : 0);
        if (d->skip && d->layers) {
            m->skip = vdi__vilds_add(m, vdi_param_2d("decoder.skip", VDI_INIT_FAN_IN, 0.5, dd, n));
        }
        if (d->obs == VDI_VILDS_GAUSSIAN)
            m->extra = vdi__vilds_add(m, vdi_param_1d("obs.log_sd", VDI_INIT_ZEROS, 0, n));
        if (d->obs == VDI_VILDS_NEGBIN) {
            m->extra = vdi__vilds_add(m, vdi_param_1d("obs.log_shape", VDI_INIT_CONSTANT, 2, n));
        }
        if (d->obs == VDI_VILDS_COUNT) {
            m->extra =
                vdi__vilds_add(m, vdi_param_2d("obs.g", VDI_INIT_ZEROS, 0, n, d->max_count - 1));
        }
    }
    if (d->transition_layers) {
        vdi_mlp_desc *g = &m->transition_desc;
        memset(g, 0, sizeof *g);
        g->name = "transition";
        g->layers = d->transition_layers + 1;
        g->act = VDI_ACT_TANH;
        g->sizes[0] = g->sizes[d->transition_layers + 1] = dd;
        for (int i = 0; i < d->transition_layers; i++)
            g->sizes[i + 1] = d->transition_hidden[i];
        m->transition = m->list_count;
        m->list_count += vdi_mlp_declare(g, m->list ? m->list + m->list_count : NULL,
                                         m->list ? 2 * (d->transition_layers + 1) : 0);
    }
    m->user = m->list_count;
    for (int64_t i = 0; i < d->user_param_count; i++)
        (void)vdi__vilds_add(m, d->user_params[i]);
}

VDI__FN size_t vdi__vilds_bytes(const vdi_vilds *m) {
    return (size_t)m->params->total * vdi_dtype_size(m->desc.dtype);
}

VDI__DEF void vdi_vilds_destroy(vdi_vilds *m) {
    if (!m) return;
    vdi_allocator a = m->desc.allocator;
    if (m->params) {
        void *copy[5];
        copy[0] = m->safe;
        copy[1] = m->best;
        copy[2] = m->start_best;
        copy[3] = m->safe_m;
        copy[4] = m->safe_v;
        for (int i = 0; i < 5; i++)
            vdi_free(&a, copy[i], vdi__vilds_bytes(m));
    }
    vdi_optim_destroy(m->optim);
    vdi_params_destroy(m->params);
    vdi_tape_destroy(m->tape);
    vdi_arena_free(&m->arena);
    vdi_free(&a, m->list, (size_t)m->list_count * sizeof *m->list);
    vdi_free(&a, m->mean, (size_t)m->desc.n * sizeof(double));
    vdi_free(&a, m->sd, (size_t)m->desc.n * sizeof(double));
    vdi_free(&a, m->tensors, (size_t)(3 * m->list_count + 16) * sizeof *m->tensors);
    vdi_free(&a, m, sizeof *m);
}

VDI__DEF vdi_status vdi_vilds_create(const vdi_vilds_desc *desc, vdi_vilds **out, vdi_error *err) {
    static const char where[] = "vdi_vilds_create";
    vdi_vilds_desc d = vdi_vilds_desc_defaults(desc);
    vdi_status status = vdi_vilds_desc_check(&d, err);
    *out = NULL;
    if (status < 0) return status;
    vdi_vilds *m = (vdi_vilds *)vdi_alloc(&d.allocator, sizeof *m);
    if (!m) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    memset(m, 0, sizeof *m);
    m->desc = d;
    vdi_arena_init(&m->arena, &d.allocator, 0);
    vdi__vilds_declare(m);
    int64_t count = m->list_count;
    m->list = (vdi_param_desc *)vdi_alloc(&d.allocator, (size_t)count * sizeof *m->list);
    m->mean = (double *)vdi_alloc(&d.allocator, (size_t)d.n * sizeof(double));
    m->sd = (double *)vdi_alloc(&d.allocator, (size_t)d.n * sizeof(double));
    m->tensors =
        (vdi_named_tensor *)vdi_alloc(&d.allocator, (size_t)(3 * count + 16) * sizeof *m->tensors);
    if (m->list && m->mean && m->sd && m->tensors) {
        vdi_rng rng = vdi__vilds_rng(d.train.seed, VDI__V_RNG_INIT, 0, 0);
        vdi_tape_desc td = vdi_tape_desc_defaults();
        vdi_optim_desc od = vdi_optim_desc_defaults();
        vdi__vilds_declare(m);
        for (int64_t j = 0; j < d.n; j++) {
            m->mean[j] = 0;
            m->sd[j] = 1;
        }
        m->stats = 1;
        td.dtype = d.dtype;
        td.allocator = d.allocator;
        td.pool = d.pool;
        td.block_size = (size_t)1 << 20;
        od.rate = d.train.rate;
        od.clip_norm = d.train.clip_norm;
        status = vdi_params_create(m->list, count, d.dtype, &d.allocator, &rng, &m->params, err);
        if (status >= 0) status = vdi_tape_create(&td, &m->tape, err);
        if (status >= 0) status = vdi_optim_create(&od, m->params, &d.allocator, &m->optim, err);
        if (status >= 0) {
            void **copy[5];
            copy[0] = &m->safe;
            copy[1] = &m->best;
            copy[2] = &m->start_best;
            copy[3] = &m->safe_m;
            copy[4] = &m->safe_v;
            for (int i = 0; i < 5 && status >= 0; i++) {
                *copy[i] = vdi_alloc(&d.allocator, vdi__vilds_bytes(m));
                if (*copy[i])
                    memset(*copy[i], 0, vdi__vilds_bytes(m));
                else
                    status = vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
            }
        }
    } else {
        status = vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    }
    if (status < 0) {
        vdi_vilds_destroy(m);
        return status;
    }
    m->number[VDI__V_SCALE] = m->number[VDI__V_GATE] = 1;
    m->number[VDI__V_VALIDATION] = (double)NAN;
    *out = m;
    return VDI_OK;
}

VDI__DEF const vdi_vilds_desc *vdi_vilds_description(const vdi_vilds *m) { return &m->desc; }
VDI__DEF vdi_params *vdi_vilds_params(vdi_vilds *m) { return m->params; }

VDI__DEF vdi_status vdi_vilds_set_covariance(vdi_vilds *m, const char *name, const double *cov,
                                             vdi_error *err) {
    const vdi_param *p = vdi_params_find(m->params, name);
    int64_t d = m->desc.d;
    if (!p || p->value.ndim != 2 || p->value.shape[0] != d || p->value.shape[1] != d) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_vilds_set_covariance",
                             "there is no (%lld,%lld) parameter %s", (long long)d, (long long)d,
                             name);
    }
    vdi_arena_reset(&m->arena);
    double *q = (double *)vdi_arena_alloc(&m->arena, (size_t)(2 * d * d) * sizeof *q);
    if (!q) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_set_covariance", "no memory");
    vdi_status status = vdi__precision_parameters(d, cov, q, q + d * d, err);
    for (int64_t i = 0; i < d * d && status >= 0; i++)
        vdi_dtype_store(p->value.dtype, p->value.data, i, q[i]);
    return status;
}
VDI__DEF vdi_status vdi_vilds_get_covariance(const vdi_vilds *m, const char *name, double *cov,
                                             vdi_error *err) {
    const vdi_param *p = vdi_params_find(m->params, name);
    int64_t d = m->desc.d;
    double q[64 * 64], work[64 * 64];
    if (!p || p->value.ndim != 2 || p->value.shape[0] != d || p->value.shape[1] != d) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_vilds_get_covariance",
                             "there is no (%lld,%lld) parameter %s", (long long)d, (long long)d,
                             name);
    }
    for (int64_t i = 0; i < d * d; i++)
        q[i] = vdi_dtype_load(p->value.dtype, p->value.data, i);
    vdi__precision_covariance(d, q, cov, work);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_vilds_init(vdi_vilds *m, vdi_vilds_data *data, uint64_t start,
                                   vdi_error *err) {
    const vdi_vilds_desc *d = &m->desc;
    vdi_rng rng = vdi__vilds_rng(d->train.seed, VDI__V_RNG_INIT, (int64_t)start, 0);
    vdi_status status = vdi_params_init(m->params, m->list, &rng, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < m->list_count; i++)
        m->params->item[i].frozen = m->list[i].frozen;
    if (d->train.frozen_dynamics) {
        const int64_t dynamics[5] = {m->A, m->Q, m->Q0, m->x0, m->B};
        for (int i = 0; i < 5; i++)
            if (dynamics[i] >= 0) m->params->item[dynamics[i]].frozen = true;
        for (int i = 0; i < 2 * (d->transition_layers + 1) && m->transition >= 0; i++)
            m->params->item[m->transition + i].frozen = true;
    }
    /* the nonlinear part of the transition grows out of nothing: the model starts as a linear
     * one */
    for (int i = 0; i < 2 && m->transition >= 0; i++)
        vdi_tensor_fill(m->params->item[m->transition + 2 * d->transition_layers + i].value, 0);
    /* means and deviations of what is seen */
    for (int64_t j = 0; j < d->n; j++) {
        double count = 0, sum = 0, squares = 0;
        for (int64_t r = 0; r < data->trials * data->T; r++) {
            bool seen = data->seen ? data->seen[r * d->n + j] != 0
                                   : r % data->T < data->length[r / data->T];
            double v = vdi_dtype_load(data->dtype, data->y, r * d->n + j);
            if (seen) {
                count += 1;
                sum += v;
                squares += v * v;
            }
        }
        m->mean[j] = count > 0 ? sum / count : 0;
        double variance = count > 0 ? squares / count - m->mean[j] * m->mean[j] : 0;
        m->sd[j] = sqrt(VDI__MAX(variance, 0)) + 1e-3;
    }
    m->stats++;
    /* the encoder's last bias, the decoder's first layer, and its last bias: the mean of the
     * data */
    int64_t outputs = vdi_vilds_family_of(d->posterior)->outputs(d->d);
    vdi_param *bias =
        &m->params->item[d->encoder_layers ? m->net + 2 * d->encoder_layers - 1 : m->bias];
    vdi_arena_reset(&m->arena);
    double *first = (double *)vdi_arena_calloc(&m->arena, (size_t)outputs * sizeof *first);
    if (!first) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_init", "no memory");
    vdi_vilds_family_of(d->posterior)->start(d->d, first);
    for (int64_t i = 0; i < outputs; i++)
        vdi_dtype_store(d->dtype, bias->value.data, i, first[i]);
    if (m->decoder < 0) return VDI_OK;
    for (int k = 0; k < 2 && d->layers; k++) {
        vdi_tensor w = m->params->item[m->decoder + k].value;
        for (int64_t i = 0; i < vdi_tensor_count(w); i++) {
            vdi_dtype_store(d->dtype, w.data, i,
                            d->first_scale * vdi_dtype_load(d->dtype, w.data, i));
        }
    }
    for (int64_t j = 0; j < d->n; j++) {
        double exposure = 0;
        double shift = 0;
        double count = 0;
        double mean = m->mean[j];
        double eta;
        for (int64_t r = 0; data->offset && r < data->trials * data->T; r++) {
            double s = vdi_dtype_load(data->dtype, data->offset, r * d->n + j);
            if (data->seen ? data->seen[r * d->n + j] != 0
                           : r % data->T < data->length[r / data->T]) {
                count += 1;
                shift += s;
                exposure += exp(s);
            }
        }
        bool scaled = count > 0 && d->obs != VDI_VILDS_BERNOULLI && d->obs != VDI_VILDS_GAUSSIAN;
        shift = count > 0 ? shift / count : 0;
        mean = VDI__MAX(mean, 1e-3) / (scaled ? exposure / count : 1);
        eta = m->mean[j] - shift;
        if (d->obs == VDI_VILDS_BERNOULLI) {
            mean = VDI__MIN(mean, 1 - 1e-3);
            eta = log(mean / (1 - mean)) - shift;
        } else if (d->obs != VDI_VILDS_GAUSSIAN) {
            eta = d->link == VDI_VILDS_SOFTPLUS && d->obs != VDI_VILDS_COUNT ? log(expm1(mean))
                                                                             : log(mean);
        }
        vdi_dtype_store(d->dtype, m->params->item[m->decoder + 2 * d->layers + 1].value.data, j,
                        eta);
        if (d->obs == VDI_VILDS_GAUSSIAN)
            vdi_dtype_store(d->dtype, m->params->item[m->extra].value.data, j, log(m->sd[j]));
    }
    return VDI_OK;
}

/* ======== batches ============================================================================= */

typedef struct vdi__vitem {
    int64_t trial, first, length, hide; /* bins first .. first + length; channel that is left out,
                                           or -1 */
} vdi__vitem;

typedef struct vdi__vbatch {
    vdi_trial_info info;
    vdi__vrows rows;
    vdi_tensor x, indicator; /* (B,T,n) or (1,rows and gaps,n); the indicator may be (B,n), or
                                null */
    vdi_tensor y, mask;      /* (rows,n); the mask may be null */
    vdi_tensor silent;       /* (B,T,1) float64, 0 where nothing is seen; null if there is no such
                                bin */
    vdi_tensor u;            /* (B,T,inputs) float64 */
    vdi_tensor offset;       /* (rows,n) log exposure, or null */
    bool dense, by_trial;
    int64_t bins, *bin_row, *row_trial, *first; /* (B T): the row of x of each bin; (rows of x): its
                                                   trial */
    int64_t *trial;
    double *constant; /* (B): sum of log y! over what is seen */
} vdi__vbatch;

VDI__FN vdi_tensor vdi__no_tensor(void) {
    vdi_tensor t = VDI__ZERO;
    t.ndim = -1;
    return t;
}

VDI__FN void vdi__vilds_blank(vdi_dtype dtype, void *p, int64_t rows, int64_t n, int64_t j) {
    if (dtype == VDI_F32) {
        for (int64_t r = 0; r < rows; r++)
            ((float *)p)[r * n + j] = 0;
    } else {
        for (int64_t r = 0; r < rows; r++)
            ((double *)p)[r * n + j] = 0;
    }
}

/* Does the expected log likelihood have a closed form? */
VDI__FN bool vdi__vilds_closed(const vdi_vilds *m) {
    const vdi_vilds_desc *d = &m->desc;
    return !d->log_joint && d->layers == 0 && d->transition_layers == 0 &&
           (d->obs == VDI_VILDS_GAUSSIAN ||
            (d->obs == VDI_VILDS_POISSON && d->link == VDI_VILDS_EXP));
}

/* `visible` (count,n) bytes or NULL. With `lend` the caller asks for Poisson sums alone, which can
   read complete counts where they stand. Memory from the model's arena. */
VDI__FN vdi_status vdi__vilds_batch(vdi_vilds *m, vdi_vilds_data *data, const vdi__vitem *item,
                                    int64_t count, const unsigned char *visible, bool lend,
                                    vdi__vbatch *b, vdi_error *err) {
    vdi_dtype dtype = m->desc.dtype;
    size_t size = vdi_dtype_size(dtype);
    int64_t n = m->desc.n;
    int64_t T = 0;
    int64_t rows = 0;
    int64_t gap = m->desc.reach;
    bool hidden = visible != NULL;
    memset(b, 0, sizeof *b);
    vdi__vilds_standardise(m, data);
    for (int64_t i = 0; i < count; i++) {
        T = VDI__MAX(T, item[i].length);
        rows += item[i].length;
        hidden = hidden || item[i].hide >= 0;
    }
    b->dense = rows == T * count;
    int64_t xrows = b->dense ? rows : rows + (count - 1) * gap;
    bool by_bin = data->seen != NULL;
    lend = lend && !hidden && !by_bin && m->desc.obs == VDI_VILDS_POISSON && !m->desc.log_joint &&
           !vdi__vilds_closed(m);
    vdi_arena *a = &m->arena;
    b->first = (int64_t *)vdi_arena_alloc(a, (size_t)count * sizeof(int64_t));
    b->trial = (int64_t *)vdi_arena_alloc(a, (size_t)count * sizeof(int64_t));
    int64_t *length = (int64_t *)vdi_arena_alloc(a, (size_t)count * sizeof(int64_t));
    bool *start = (bool *)vdi_arena_alloc(a, (size_t)count * sizeof(bool));
    b->constant = (double *)vdi_arena_calloc(a, (size_t)count * sizeof(double));
    char *x = (char *)vdi_arena_alloc(a, (size_t)(xrows * n) * size), *y = NULL;
    if (lend)
        b->rows.lent = (const void **)vdi_arena_alloc(a, (size_t)count * sizeof *b->rows.lent);
    else
        y = (char *)vdi_arena_alloc(a, (size_t)(rows * n) * size);
    char *mask = NULL, *ind = NULL;
    if (hidden || by_bin) {
        mask = (char *)vdi_arena_alloc(a, (size_t)(rows * n) * size);
        ind = (char *)vdi_arena_calloc(a, (size_t)((by_bin ? xrows : count) * n) * size);
    }
    double *silent =
        by_bin ? (double *)vdi_arena_alloc(a, (size_t)(count * T) * sizeof *silent) : NULL;
    char *offset = data->offset ? (char *)vdi_arena_alloc(a, (size_t)(rows * n) * size) : NULL;
    double *u =
        m->desc.inputs
            ? (double *)vdi_arena_calloc(a, (size_t)(count * T * m->desc.inputs) * sizeof *u)
            : NULL;
    if (!b->dense) {
        b->bin_row = (int64_t *)vdi_arena_alloc(a, (size_t)(count * T) * sizeof(int64_t));
        b->row_trial = (int64_t *)vdi_arena_alloc(a, (size_t)xrows * sizeof(int64_t));
    }
    if (!b->first || !b->trial || !length || !start || !b->constant || !x ||
        (!y && !b->rows.lent) || ((hidden || by_bin) && (!mask || !ind)) || (by_bin && !silent) ||
        (m->desc.inputs && !u) || (data->offset && !offset) ||
        (!b->dense && (!b->bin_row || !b->row_trial))) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory for a batch of %lld bins",
                             (long long)rows);
    }
    bool quiet = false;
    for (int64_t i = 0, at = 0, xat = 0; i < count; i++) {
        const vdi__vitem *it = &item[i];
        int64_t from = (it->trial * data->T + it->first) * n, cells = it->length * n;
        const unsigned char *vis = visible ? visible + i * n : NULL;
        length[i] = it->length;
        start[i] = it->first == 0;
        b->trial[i] = it->trial;
        b->first[i] = at;
        if (!b->dense && i)
            memset(x + (size_t)((xat - gap) * n) * size, 0, (size_t)(gap * n) * size);
        memcpy(x + (size_t)(xat * n) * size, (const char *)data->x + (size_t)from * size,
               (size_t)cells * size);
        if (lend) {
            b->rows.lent[i] = (const char *)data->y + (size_t)from * size;
        } else {
            memcpy(y + (size_t)(at * n) * size, (const char *)data->y + (size_t)from * size,
                   (size_t)cells * size);
        }
        if (offset) {
            memcpy(offset + (size_t)(at * n) * size,
                   (const char *)data->offset + (size_t)from * size, (size_t)cells * size);
        }
        if (mask && !by_bin) vdi_fill(dtype, (size_t)cells, 1, mask + (size_t)(at * n) * size);
        for (int64_t c = 0; by_bin && c < cells; c++) {
            bool seen = data->seen[from + c] != 0;
            vdi_dtype_store(dtype, mask, at * n + c, seen);
            vdi_dtype_store(dtype, ind, xat * n + c, !seen);
        }
        for (int64_t j = 0; hidden && j < n; j++) {
            if ((!vis || vis[j]) && it->hide != j) continue;
            vdi__vilds_blank(dtype, x + (size_t)(xat * n) * size, it->length, n, j);
            vdi__vilds_blank(dtype, y + (size_t)(at * n) * size, it->length, n, j);
            vdi__vilds_blank(dtype, mask + (size_t)(at * n) * size, it->length, n, j);
            if (!by_bin) vdi_dtype_store(dtype, ind, i * n + j, 1);
            for (int64_t r = 0; by_bin && r < it->length; r++)
                vdi_dtype_store(dtype, ind, (xat + r) * n + j, 1);
        }
        for (int64_t t = 0; silent && t < T; t++) {
            bool some = t >= it->length;
            for (int64_t j = 0; !some && j < n; j++)
                some = vdi_dtype_load(dtype, mask, (at + t) * n + j) != 0;
            silent[i * T + t] = some;
            quiet = quiet || !some;
        }
        if (it->first == 0 && it->length == data->length[it->trial]) {
            for (int64_t j = 0; j < n; j++) {
                if ((!vis || vis[j]) && it->hide != j)
                    b->constant[i] += data->factorial[it->trial * n + j];
            }
        } else {
            for (int64_t c = 0; c < cells; c++) {
                if ((!vis || vis[c % n]) && it->hide != c % n)
                    b->constant[i] += vdi_dtype_load(dtype, data->log_factorial, from + c);
            }
        }
        if (u) {
            memcpy(u + i * T * m->desc.inputs,
                   data->u + (it->trial * data->T + it->first) * m->desc.inputs,
                   (size_t)(it->length * m->desc.inputs) * sizeof *u);
        }
        if (!b->dense) {
            for (int64_t t = 0; t < T; t++)
                b->bin_row[i * T + t] = xat + VDI__MIN(t, it->length - 1);
            for (int64_t r = i ? -gap : 0; r < it->length; r++)
                b->row_trial[xat + r] = i;
        }
        at += it->length;
        xat += it->length + (b->dense ? 0 : gap);
    }
    b->bins = rows;
    b->by_trial = !by_bin;
    b->info.trials = count;
    b->info.T = T;
    b->info.length = length;
    b->info.start = start;
    b->info.trial = b->trial;
    b->info.params = m->params->item + m->user;
    b->x = b->dense ? vdi_tensor_3d(x, dtype, count, T, n) : vdi_tensor_3d(x, dtype, 1, xrows, n);
    b->y = y ? vdi_tensor_2d(y, dtype, rows, n) : vdi__no_tensor();
    b->mask = mask ? vdi_tensor_2d(mask, dtype, rows, n) : vdi__no_tensor();
    b->indicator = !ind     ? vdi__no_tensor()
                   : by_bin ? vdi_tensor_3d(ind, dtype, b->x.shape[0], b->x.shape[1], n)
                            : vdi_tensor_2d(ind, dtype, count, n);
    b->silent = quiet ? vdi_tensor_3d(silent, VDI_F64, count, T, 1) : vdi__no_tensor();
    b->offset = offset ? vdi_tensor_2d(offset, dtype, rows, n) : vdi__no_tensor();
    b->info.inputs = u;
    if (u) b->u = vdi_tensor_3d(u, VDI_F64, count, T, m->desc.inputs);
    b->rows.trials = count;
    b->rows.rows = rows;
    b->rows.n = n;
    b->rows.first = b->first;
    b->rows.length = length;
    b->rows.y = y;
    b->rows.mask = mask;
    return VDI_OK;
}

/* ======== the ELBO ============================================================================ */

VDI__FN vdi_var vdi__vparam(vdi_vilds *m, int64_t i) {
    return vdi_tape_param(m->tape, &m->params->item[i]);
}
VDI__FN vdi_var vdi__vparam64(vdi_vilds *m, int64_t i) {
    return vdi_var_cast(m->tape, vdi__vparam(m, i), VDI_F64);
}

/* The prior on the tape; `own`: that of an untied posterior. */
VDI__FN vdi_status vdi__vilds_prior(vdi_vilds *m, const vdi__vbatch *b, bool own, vdi_lds_vars *p) {
    vdi_tape *t = m->tape;
    int64_t d = m->desc.d, iA = own ? m->own_A : m->A, iB = own ? m->own_B : m->B;
    memset(p, 0, sizeof *p);
    p->A = vdi__vparam64(m, iA);
    (void)vdi_var_precision_root(t, vdi__vparam64(m, own ? m->own_Q : m->Q), &p->Qi, &p->ld);
    (void)vdi_var_precision_root(t, vdi__vparam64(m, own ? m->own_Q0 : m->Q0), &p->Q0i, &p->ld0);
    p->x0 = vdi__vparam64(m, own ? m->own_x0 : m->x0);
    p->c = m->desc.inputs ? vdi_var_affine(t, vdi_tape_constant(t, b->u), vdi__vparam64(m, iB),
                                           vdi_var_none(), VDI_ACT_NONE, 0)
                          : vdi_var_none();
    bool middle = false;
    for (int64_t i = 0; i < b->info.trials; i++)
        middle = middle || !b->info.start[i];
    if (middle && vdi_tape_status(t, NULL) >= 0) {
        /* the stationary distribution, as a constant: windows teach the dynamics by their
         * transitions alone */
        double *w = (double *)vdi_arena_alloc(&m->arena, (size_t)(8 * d * d + 1) * sizeof *w);
        double *mid = w;
        double *q = w + d * d + 1;
        double *Q = q + d * d;
        double *P = Q + d * d;
        const vdi_param *prm = &m->params->item[own ? m->own_Q : m->Q];
        if (!w) return VDI_ERR_MEMORY;
        for (int64_t i = 0; i < d * d; i++)
            q[i] = vdi_dtype_load(prm->value.dtype, prm->value.data, i);
        vdi__precision_covariance(d, q, Q, P);
        vdi__vm_stationary(d, (const double *)vdi_tape_value(t, p->A).data, Q, P, P + d * d);
        vdi_status status = vdi_cholesky(VDI_F64, (size_t)d, P, (size_t)d, NULL);
        if (status < 0) {
            (void)vdi_tape_fail(t, status, "vdi_vilds",
                                "the stationary covariance is not positive definite");
            return status;
        }
        vdi_cholesky_inverse(VDI_F64, (size_t)d, P, (size_t)d, mid, (size_t)d);
        mid[d * d] = -vdi_cholesky_logdet(VDI_F64, (size_t)d, P, (size_t)d);
        p->mid = mid;
    }
    return vdi_tape_status(t, NULL);
}

/* The encoder's output, (B,T,outputs) float64. */
VDI__FN vdi_var vdi__vilds_encode(vdi_vilds *m, const vdi__vbatch *b) {
    vdi_tape *t = m->tape;
    const vdi_vilds_desc *d = &m->desc;
    const vdi_vilds_family_ops *family = vdi_vilds_family_of(d->posterior);
    double gate = m->number[VDI__V_GATE];
    int64_t outputs = family->outputs(d->d), width = 2 * d->reach + 1, shape[3];
    vdi_act act = d->encoder_layers ? VDI_ACT_TANH : VDI_ACT_NONE;
    bool indicator = vdi_tensor_ok(b->indicator);
    vdi_var x = vdi_tape_constant(t, b->x);
    vdi_var w = vdi__vparam(m, m->window);
    vdi_var bias = vdi__vparam(m, m->bias);
    vdi_var h;
    if (d->reach == 0 || gate <= 0) {
        h = vdi_var_affine(t, x, vdi_var_index(t, w, 0, d->reach), bias,
                           indicator ? VDI_ACT_NONE : act, 0);
    } else {
        if (gate < 1) {
            void *g = vdi_arena_alloc(&m->arena, (size_t)width * sizeof(double));
            if (!g) return vdi_tape_fail(t, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
            for (int64_t i = 0; i < width; i++)
                vdi_dtype_store(d->dtype, g, i, i == d->reach ? 1 : gate);
            w = vdi_var_mul(t, w, vdi_tape_constant(t, vdi_tensor_3d(g, d->dtype, width, 1, 1)));
        }
        h = vdi_var_conv1d(t, x, w, bias, d->reach, indicator ? VDI_ACT_NONE : act, 0);
    }
    if (indicator) {
        vdi_var k = vdi_var_affine(t, vdi_tape_constant(t, b->indicator), vdi__vparam(m, m->mask),
                                   vdi_var_none(), VDI_ACT_NONE, 0);
        if (b->by_trial && b->dense) {
            k = vdi_var_unsqueeze(t, k, 1);
        } else if (b->by_trial) {
            k = vdi_var_unsqueeze(
                t, vdi_var_gather(t, k, vdi_tensor_1d(b->row_trial, VDI_I64, b->x.shape[1])), 0);
        }
        h = vdi_var_add(t, h, k);
        if (act == VDI_ACT_TANH) h = vdi_var_tanh(t, h);
    }
    if (m->net >= 0) h = vdi_mlp_apply(t, &m->net_desc, &m->params->item[m->net], h);
    h = vdi_var_cast(t, h, VDI_F64);
    shape[0] = b->info.trials;
    shape[1] = b->info.T;
    shape[2] = outputs;
    if (!b->dense) {
        int64_t flat[2];
        flat[0] = b->x.shape[1];
        flat[1] = outputs;
        h = vdi_var_gather(t, vdi_var_reshape(t, h, 2, flat),
                           vdi_tensor_1d(b->bin_row, VDI_I64, shape[0] * shape[1]));
        h = vdi_var_reshape(t, h, 3, shape);
    }
    if (family->silent && vdi_tensor_ok(b->silent))
        h = vdi_var_mul(t, h, vdi_tape_constant(t, b->silent));
    return h;
}

/* z (S,B,T,d) or (B,T,d), or any (..,k) over bins, to rows (S rows, k) of the networks' dtype. */
VDI__FN vdi_var vdi__vilds_rows(vdi_vilds *m, const vdi__vbatch *b, vdi_var z, int64_t samples,
                                int64_t k) {
    vdi_tape *t = m->tape;
    int64_t shape[2], bins = b->info.trials * b->info.T;
    shape[0] = samples * bins;
    shape[1] = k;
    z = vdi_var_reshape(t, z, 2, shape);
    if (!b->dense) {
        int64_t *index =
            (int64_t *)vdi_arena_alloc(&m->arena, (size_t)(samples * b->rows.rows) * sizeof *index);
        int64_t at = 0;
        if (!index) return vdi_tape_fail(t, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
        for (int64_t s = 0; s < samples; s++) {
            for (int64_t i = 0; i < b->info.trials; i++) {
                for (int64_t r = 0; r < b->info.length[i]; r++)
                    index[at++] = s * bins + i * b->info.T + r;
            }
        }
        z = vdi_var_gather(t, z, vdi_tensor_1d(index, VDI_I64, at));
    }
    return vdi_var_cast(t, z, m->desc.dtype);
}

VDI__FN vdi_var vdi__vilds_eta(vdi_vilds *m, vdi_var z) {
    vdi_var eta = vdi_mlp_apply(m->tape, &m->decoder_desc, &m->params->item[m->decoder], z);
    if (m->skip >= 0) {
        eta = vdi_var_add(
            m->tape, eta,
            vdi_var_affine(m->tape, z, vdi__vparam(m, m->skip), vdi_var_none(), VDI_ACT_NONE, 0));
    }
    return eta;
}

/* g(z) of samples (S,B,T,d), float64 as they are. */
VDI__FN vdi_var vdi__vilds_drift(vdi_vilds *m, vdi_var z, int64_t samples,
                                 const vdi_trial_info *info) {
    int64_t d = m->desc.d, flat[2], full[4];
    full[0] = samples;
    full[1] = info->trials;
    full[2] = info->T;
    full[3] = d;
    flat[0] = samples * info->trials * info->T;
    flat[1] = d;
    vdi_var x = vdi_var_cast(m->tape, vdi_var_reshape(m->tape, z, 2, flat), m->desc.dtype);
    x = vdi_mlp_apply(m->tape, &m->transition_desc, &m->params->item[m->transition], x);
    return vdi_var_reshape(m->tape, vdi_var_cast(m->tape, x, VDI_F64), 4, full);
}

/* rows (S rows,n) plus the log exposure of each row. */
VDI__FN vdi_var vdi__vilds_exposed(vdi_vilds *m, const vdi__vbatch *b, vdi_var eta,
                                   int64_t samples) {
    int64_t full[3], flat[2];
    if (!vdi_tensor_ok(b->offset)) return eta;
    full[0] = samples;
    full[1] = b->rows.rows;
    full[2] = b->rows.n;
    flat[0] = samples * b->rows.rows;
    flat[1] = b->rows.n;
    eta = vdi_var_add(m->tape, vdi_var_reshape(m->tape, eta, 3, full),
                      vdi_tape_constant(m->tape, b->offset));
    return vdi_var_reshape(m->tape, eta, 2, flat);
}

/* The log of softplus(decoder) + 1e-6. */
VDI__FN vdi_var vdi__vilds_softplus(vdi_tape *t, vdi_var eta) {
    return vdi_var_log(t, vdi_var_add_scalar(t, vdi_var_softplus(t, eta), 1e-6));
}

/* How far the sum of a generalised count goes. */
VDI__FN int64_t vdi__count_terms(const vdi_vilds_desc *d) { return 2 * d->max_count + 20; }
/* g (n, terms + 1) from its free part (n, max_count - 1): g(0) = g(1) = 0, then free, then
 * linear. */
VDI__FN vdi_var vdi__count_table(vdi_vilds *m) {
    int64_t K = m->desc.max_count, terms = vdi__count_terms(&m->desc) + 1;
    void *map = vdi_arena_calloc(&m->arena, (size_t)((K - 1) * terms) * sizeof(double));
    if (!map) return vdi_tape_fail(m->tape, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    for (int64_t k = 2; k < terms; k++) {
        int64_t beyond = k > K ? k - K : 0;
        vdi_dtype_store(m->desc.dtype, map, (VDI__MIN(k, K) - 2) * terms + k, 1 + (double)beyond);
        if (beyond && K > 2)
            vdi_dtype_store(m->desc.dtype, map, (K - 3) * terms + k, -(double)beyond);
    }
    return vdi_var_matmul(
        m->tape, vdi__vparam(m, m->extra),
        vdi_tape_constant(m->tape, vdi_tensor_2d(map, m->desc.dtype, K - 1, terms)), 0);
}
/* g(k) - log k! */
VDI__FN vdi_var vdi__count_base(vdi_vilds *m, vdi_var table) {
    int64_t terms = vdi__count_terms(&m->desc) + 1;
    void *lf = vdi_arena_alloc(&m->arena, (size_t)terms * sizeof(double));
    if (!lf) return vdi_tape_fail(m->tape, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    for (int64_t k = 0; k < terms; k++)
        vdi_dtype_store(m->desc.dtype, lf, k, lgamma((double)k + 1));
    return vdi_var_sub(m->tape, table,
                       vdi_tape_constant(m->tape, vdi_tensor_1d(lf, m->desc.dtype, terms)));
}

/* log p(y | eta) element by element, eta (S rows, n) with exposure and link; without log y! for
 * Poisson and generalised counts. */
VDI__FN vdi_var vdi__vilds_element(vdi_vilds *m, const vdi__vbatch *b, vdi_var eta,
                                   int64_t samples) {
    vdi_tape *t = m->tape;
    vdi_dtype dtype = m->desc.dtype;
    int64_t n = m->desc.n, rows = b->rows.rows, shape[3], flat[2];
    vdi_var y = vdi_tape_constant(t, b->y), r;
    shape[0] = samples;
    shape[1] = rows;
    shape[2] = n;
    flat[0] = samples * rows;
    flat[1] = n;
    eta = vdi_var_reshape(t, eta, 3, shape);
    switch (m->desc.obs) {
    case VDI_VILDS_GAUSSIAN:
        r = vdi_var_normal_log_prob(t, y, eta, vdi__vparam(m, m->extra));
        break;
    case VDI_VILDS_BERNOULLI: r = vdi_var_bernoulli_log_prob(t, y, eta); break;
    case VDI_VILDS_NEGBIN:
        if (m->desc.link == VDI_VILDS_EXP) eta = vdi_var_clip(t, eta, -1e30, VDI__POISSON_TOP);
        r = vdi_var_negative_binomial_log_prob(t, y, eta, vdi__vparam(m, m->extra));
        break;
    default: {
        int64_t terms = vdi__count_terms(&m->desc) + 1;
        int64_t *index = (int64_t *)vdi_arena_alloc(&m->arena, (size_t)(rows * n) * sizeof *index);
        void *k = vdi_arena_alloc(&m->arena, (size_t)terms * sizeof(double));
        if (!index || !k) return vdi_tape_fail(t, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
        for (int64_t i = 0; i < terms; i++)
            vdi_dtype_store(dtype, k, i, (double)i);
        for (int64_t i = 0; i < rows * n; i++) {
            double v = vdi_dtype_load(dtype, b->y.data, i);
            if (v >= (double)terms) {
                return vdi_tape_fail(t, VDI_ERR_DATA, "vdi_vilds",
                                     "a count is %g; desc.max_count %lld takes counts up to %lld",
                                     v, (long long)m->desc.max_count, (long long)terms - 1);
            }
            index[i] = i % n * terms + (int64_t)v;
        }
        vdi_var table = vdi__count_table(m), base = vdi__count_base(m, table);
        int64_t line[1], wide[4];
        line[0] = n * terms;
        vdi_var gy = vdi_var_reshape(t,
                                     vdi_var_gather(t, vdi_var_reshape(t, table, 1, line),
                                                    vdi_tensor_1d(index, VDI_I64, rows * n)),
                                     2, b->y.shape);
        wide[0] = samples;
        wide[1] = rows;
        wide[2] = n;
        wide[3] = 1;
        eta = vdi_var_clip(t, eta, -1e30, VDI__POISSON_TOP);
        vdi_var all = vdi_var_mul(t, vdi_var_reshape(t, eta, 4, wide),
                                  vdi_tape_constant(t, vdi_tensor_1d(k, dtype, terms)));
        r = vdi_var_logsumexp(t, vdi_var_add(t, all, base), -1, false);
        r = vdi_var_sub(t, vdi_var_add(t, vdi_var_mul(t, eta, y), gy), r);
    }
    }
    return vdi_var_reshape(t, r, 2, flat);
}

/* log p(y | z) for each sample and trial from the decoder's output at rows: (S,B), without log y!
 * where constants are kept apart. */
VDI__FN vdi_var vdi__vilds_likelihood(vdi_vilds *m, const vdi__vbatch *b, vdi_var eta,
                                      int64_t samples) {
    vdi_tape *t = m->tape;
    vdi__vrows rows = b->rows;
    rows.samples = samples;
    if (m->desc.link == VDI_VILDS_SOFTPLUS &&
        (m->desc.obs == VDI_VILDS_POISSON || m->desc.obs == VDI_VILDS_NEGBIN))
        eta = vdi__vilds_softplus(t, eta);
    eta = vdi__vilds_exposed(m, b, eta, samples);
    if (m->desc.obs == VDI_VILDS_POISSON) return vdi__row_sums(t, eta, &rows, true);
    vdi_var r = vdi__vilds_element(m, b, eta, samples);
    if (vdi_tensor_ok(b->mask)) {
        int64_t shape[3], flat[2];
        shape[0] = samples;
        shape[1] = rows.rows;
        shape[2] = rows.n;
        flat[0] = samples * rows.rows;
        flat[1] = rows.n;
        r = vdi_var_reshape(
            t, vdi_var_mul(t, vdi_var_reshape(t, r, 3, shape), vdi_tape_constant(t, b->mask)), 2,
            flat);
    }
    return vdi__row_sums(t, r, &rows, false);
}

/* E_q log p(y | z) where it has a closed form: a linear read-out C, b; Gaussian: at the mean less
 * c'S c / 2 sd^2; Poisson: rate exp(eta + c'S c / 2). */
VDI__FN vdi_var vdi__vilds_closed_likelihood(vdi_vilds *m, const vdi__vbatch *b, vdi_var mean,
                                             vdi_var S) {
    vdi_tape *t = m->tape;
    int64_t d = m->desc.d, n = m->desc.n, shape[3];
    vdi__vrows rows = b->rows;
    rows.samples = 1;
    vdi_var eta = vdi__vilds_exposed(m, b, vdi__vilds_eta(m, vdi__vilds_rows(m, b, mean, 1, d)), 1);
    vdi_var C = vdi__vparam(m, m->decoder);
    shape[0] = d;
    shape[1] = 1;
    shape[2] = n;
    vdi_var left = vdi_var_reshape(t, C, 3, shape), right;
    shape[0] = 1;
    shape[1] = d;
    right = vdi_var_reshape(t, C, 3, shape);
    shape[0] = d * d;
    shape[1] = n;
    vdi_var v = vdi_var_affine(t, vdi__vilds_rows(m, b, S, 1, d * d),
                               vdi_var_reshape(t, vdi_var_mul(t, left, right), 2, shape),
                               vdi_var_none(), VDI_ACT_NONE, 0);
    if (m->desc.obs == VDI_VILDS_POISSON) {
        vdi_var half = vdi_var_mul_scalar(t, v, 0.5);
        vdi_var r = vdi__row_sums(t, vdi_var_add(t, eta, half), &rows, true);
        return vdi_var_sub(
            t, r, vdi__row_sums(t, vdi_var_mul(t, half, vdi_tape_constant(t, b->y)), &rows, false));
    }
    vdi_var log_sd = vdi__vparam(m, m->extra);
    vdi_var r = vdi_var_normal_log_prob(t, vdi_tape_constant(t, b->y), eta, log_sd);
    r = vdi_var_sub(
        t, r,
        vdi_var_mul(t, v,
                    vdi_var_mul_scalar(t, vdi_var_exp(t, vdi_var_mul_scalar(t, log_sd, -2)), 0.5)));
    if (vdi_tensor_ok(b->mask)) r = vdi_var_mul(t, r, vdi_tape_constant(t, b->mask));
    return vdi__row_sums(t, r, &rows, false);
}

/* A posterior and its bound on the tape. */
typedef struct vdi__velbo {
    vdi_lds_vars prior;
    vdi_blocktri_var factor;
    vdi_var out, mean, S, O, logdet, z; /* z (S,B,T,d); null where it was not needed */
    vdi_var likelihood, kl, elbo;       /* (S,B) or (1,B); (B); (B) */
} vdi__velbo;

/* eps (S,B,T,d): trial by trial from streams of their own, 0 beyond a trial's end. */
VDI__FN vdi_tensor vdi__vilds_eps(vdi_vilds *m, const vdi__vbatch *b, int64_t samples,
                                  uint64_t seed, int what, int64_t a) {
    int64_t d = m->desc.d, T = b->info.T, B = b->info.trials;
    size_t bytes = (size_t)(samples * B * T * d) * sizeof(double);
    double *eps = (double *)(b->dense ? vdi_arena_alloc(&m->arena, bytes)
                                      : vdi_arena_calloc(&m->arena, bytes));
    if (!eps) return vdi__no_tensor();
    for (int64_t i = 0; i < B; i++) {
        vdi_rng rng = vdi__vilds_rng(seed, what, a, b->info.trial[i]);
        for (int64_t s = 0; s < samples; s++)
            vdi_rng_fill_normal(&rng, VDI_F64, b->info.length[i] * d, eps + (s * B + i) * T * d);
    }
    return vdi_tensor_4d(eps, VDI_F64, samples, B, T, d);
}

/* From the encoder's output (or other parameters of the family) to q: everything but samples. */
VDI__FN void vdi__vilds_posterior(vdi_vilds *m, const vdi__vbatch *b, vdi_var out, bool natural,
                                  bool moments, vdi__velbo *e) {
    vdi_tape *t = m->tape;
    vdi_lds_vars own;
    vdi_var D, E, k;
    bool is_mean = false, ragged = !b->dense;
    memset(e, 0, sizeof *e);
    e->out = out;
    if (vdi__vilds_prior(m, b, false, &e->prior) < 0 ||
        (m->desc.untied && vdi__vilds_prior(m, b, true, &own) < 0))
        return;
    const vdi_lds_vars *p = m->desc.untied ? &own : &e->prior;
    if (natural) {
        (void)vdi__product(t, out, p, &b->info, true, &D, &E, &k);
    } else {
        (void)vdi_vilds_family_of(m->desc.posterior)
            ->build(t, out, p, &b->info, &D, &E, &k, &is_mean);
    }
    e->factor = vdi_var_blocktri_factor(t, D, E, ragged ? b->info.length : NULL);
    e->logdet = vdi_var_blocktri_logdet(t, e->factor);
    e->mean = is_mean ? k : vdi_var_blocktri_solve(t, e->factor, k);
    if (moments) (void)vdi_var_blocktri_marginals(t, e->factor, &e->S, &e->O);
}

/* KL(q | prior): (B). In closed form from the moments, or without them from the samples: the
 * entropy of q is exact in any case. */
VDI__FN void vdi__vilds_kl(vdi_vilds *m, const vdi__vbatch *b, vdi__velbo *e) {
    vdi_tape *t = m->tape;
    int64_t d = m->desc.d;
    vdi_var energy = vdi_var_ok(e->S)
                         ? vdi_var_lds_energy(t, &e->prior, e->mean, e->S, e->O, &b->info)
                         : vdi_var_mean_axis(t,
                                             vdi_var_lds_energy(t, &e->prior, e->z, vdi_var_none(),
                                                                vdi_var_none(), &b->info),
                                             0, false);
    vdi_var r = vdi_var_sub(t, vdi_var_add(t, energy, e->logdet),
                            vdi__lds_log_dets(t, &e->prior, &b->info, d, false));
    e->kl = vdi_var_add(t, vdi_var_mul_scalar(t, r, 0.5),
                        vdi__per_trial(t, &b->info, vdi__per_trial_length, -0.5 * (double)d));
}

/* The bound itself, from q. `eps` may be the null tensor where the likelihood has a closed form. */
VDI__FN void vdi__vilds_bound(vdi_vilds *m, vdi__vbatch *b, vdi_tensor eps, vdi__velbo *e) {
    vdi_tape *t = m->tape;
    int64_t d = m->desc.d, samples = vdi_tensor_ok(eps) ? eps.shape[0] : 1;
    if (vdi_tensor_ok(eps)) {
        e->z = vdi_var_add(t, e->mean,
                           vdi_var_blocktri_sample(t, e->factor, vdi_tape_constant(t, eps)));
    }
    if (m->desc.log_joint) {
        int64_t B = b->info.trials, T = b->info.T, n = m->desc.n;
        size_t size = vdi_dtype_size(m->desc.dtype), cells = (size_t)(B * T * n) * size;
        char *y = (char *)vdi_arena_calloc(&m->arena, cells);
        char *mask = (char *)vdi_arena_calloc(&m->arena, cells);
        if (!y || !mask) {
            (void)vdi_tape_fail(t, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
            return;
        }
        for (int64_t i = 0; i < B; i++) {
            size_t to = (size_t)(i * T * n) * size;
            size_t from = (size_t)(b->first[i] * n) * size;
            size_t bytes = (size_t)(b->info.length[i] * n) * size;
            memcpy(y + to, (const char *)b->y.data + from, bytes);
            if (vdi_tensor_ok(b->mask))
                memcpy(mask + to, (const char *)b->mask.data + from, bytes);
            else
                vdi_fill(m->desc.dtype, (size_t)(b->info.length[i] * n), 1, mask + to);
        }
        b->info.samples = samples;
        vdi_var joint = m->desc.log_joint(
            t, e->z, vdi_tape_constant(t, vdi_tensor_3d(y, m->desc.dtype, B, T, n)),
            vdi_tape_constant(t, vdi_tensor_3d(mask, m->desc.dtype, B, T, n)), &b->info,
            m->desc.user);
        if (vdi_tape_status(t, NULL) >= 0 &&
            (vdi_var_ndim(t, joint) != 2 || vdi_var_dim(t, joint, 0) != samples ||
             vdi_var_dim(t, joint, 1) != B || vdi_tape_value(t, joint).dtype != VDI_F64)) {
            (void)vdi_tape_fail(
                t, VDI_ERR_SHAPE, "vdi_vilds",
                "log_joint has to return (samples, trials) of float64, here (%lld,%lld)",
                (long long)samples, (long long)B);
            return;
        }
        e->likelihood = joint;
        /* less the entropy */
        e->kl = vdi_var_add(t, vdi_var_mul_scalar(t, e->logdet, 0.5),
                            vdi__per_trial(t, &b->info, vdi__per_trial_length,
                                           -0.5 * (double)d * (1 + VDI_LOG_2PI)));
    } else {
        vdi__vilds_kl(m, b, e);
        if (m->transition >= 0) {
            /* the linear part stays in closed form, the samples give what g adds to its energy:
             * nothing where g = 0 */
            vdi_lds_vars straight = e->prior;
            e->prior.g = vdi__vilds_drift(m, e->z, samples, &b->info);
            vdi_var bent =
                vdi_var_lds_energy(t, &e->prior, e->z, vdi_var_none(), vdi_var_none(), &b->info);
            bent = vdi_var_sub(
                t, bent,
                vdi_var_lds_energy(t, &straight, e->z, vdi_var_none(), vdi_var_none(), &b->info));
            e->kl = vdi_var_add(t, e->kl,
                                vdi_var_mul_scalar(t, vdi_var_mean_axis(t, bent, 0, false), 0.5));
        }
        e->likelihood =
            vdi_tensor_ok(eps)
                ? vdi__vilds_likelihood(
                      m, b, vdi__vilds_eta(m, vdi__vilds_rows(m, b, e->z, samples, d)), samples)
                : vdi__vilds_closed_likelihood(m, b, e->mean, e->S);
        if (m->desc.obs == VDI_VILDS_POISSON || m->desc.obs == VDI_VILDS_COUNT) {
            e->likelihood = vdi_var_sub(
                t, e->likelihood,
                vdi_tape_constant(t, vdi_tensor_1d(b->constant, VDI_F64, b->info.trials)));
        }
    }
    e->elbo = vdi_var_sub(t, vdi_var_mean_axis(t, e->likelihood, 0, false), e->kl);
}

/* The ELBO (B) of a batch, amortised; `sampled`: the prior's share of it from the samples too, if
 * there are any. */
VDI__FN void vdi__vilds_elbo(vdi_vilds *m, vdi__vbatch *b, vdi_tensor eps, bool sampled,
                             vdi__velbo *e) {
    vdi__vilds_posterior(m, b, vdi__vilds_encode(m, b), false,
                         !m->desc.log_joint && !(sampled && vdi_tensor_ok(eps)), e);
    vdi__vilds_bound(m, b, eps, e);
}

/* Mean ELBO per bin of all trials, without gradients. */
VDI__FN vdi_status vdi__vilds_elbo_all(vdi_vilds *m, vdi_vilds_data *data, int64_t samples,
                                       uint64_t seed, double *per_trial, double *per_bin,
                                       vdi_error *err) {
    double sum = 0;
    vdi_status status = VDI_OK;
    bool closed = vdi__vilds_closed(m);
    for (int64_t from = 0; from < data->trials && status >= 0; from += m->desc.train.batch) {
        int64_t count = VDI__MIN(m->desc.train.batch, data->trials - from);
        vdi__vbatch b;
        vdi__velbo e;
        vdi_arena_reset(&m->arena);
        vdi_tape_reset(m->tape);
        vdi__vitem *item = (vdi__vitem *)vdi_arena_alloc(&m->arena, (size_t)count * sizeof *item);
        if (!item) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
        for (int64_t i = 0; i < count; i++) {
            item[i].trial = from + i;
            item[i].first = 0;
            item[i].length = data->length[from + i];
            item[i].hide = -1;
        }
        status = vdi__vilds_batch(m, data, item, count, NULL, true, &b, err);
        if (status < 0) break;
        bool old = vdi_tape_set_no_grad(m->tape, true);
        vdi__vilds_elbo(m, &b,
                        closed ? vdi__no_tensor()
                               : vdi__vilds_eps(m, &b, samples, seed, VDI__V_RNG_SCORE, 0),
                        false, &e);
        (void)vdi_tape_set_no_grad(m->tape, old);
        status = vdi_tape_status(m->tape, err);
        const double *v = (const double *)vdi_tape_value(m->tape, e.elbo).data;
        for (int64_t i = 0; i < count && status >= 0; i++) {
            if (per_trial) per_trial[from + i] = v[i];
            sum += v[i];
        }
    }
    if (per_bin) *per_bin = sum / (double)data->total;
    return status;
}

/* ======== training ============================================================================ */

VDI__FN void vdi__vilds_copy(vdi_vilds *m, void *to, const void *from) {
    memcpy(to, from, vdi__vilds_bytes(m));
}

VDI__FN vdi_status vdi__vilds_graph(vdi_vilds *m, vdi_vilds_data *data, int64_t phase, int64_t step,
                                    vdi_var *loss, vdi_error *err) {
    const vdi_vilds_train *tr = &m->desc.train;
    int64_t n = m->desc.n;
    int64_t count = VDI__MIN(tr->batch, data->trials);
    int64_t spe = data->trials / count;
    int64_t epoch = step / spe;
    int64_t slot = step % spe;
    vdi_rng rng = vdi__vilds_rng(tr->seed, VDI__V_RNG_ORDER, phase << 32 | epoch, 0);
    vdi__vbatch b;
    vdi__velbo e;
    vdi_arena_reset(&m->arena);
    vdi_tape_reset(m->tape);
    int64_t *order = (int64_t *)vdi_arena_alloc(&m->arena, (size_t)data->trials * sizeof *order);
    vdi__vitem *item = (vdi__vitem *)vdi_arena_alloc(&m->arena, (size_t)count * sizeof *item);
    unsigned char *visible =
        tr->mask_rate > 0 ? (unsigned char *)vdi_arena_alloc(&m->arena, (size_t)(count * n)) : NULL;
    if (!order || !item || (tr->mask_rate > 0 && !visible))
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_step", "no memory");
    vdi_rng_permutation(&rng, data->trials, order);
    for (int64_t i = 0; i < count; i++) {
        vdi__vitem it;
        it.trial = order[slot * count + i];
        it.first = 0;
        it.length = data->length[it.trial];
        it.hide = -1;
        rng = vdi__vilds_rng(tr->seed, VDI__V_RNG_MASK, phase << 32 | step, it.trial);
        if (tr->window > 0 && it.length > tr->window) {
            it.first = (int64_t)vdi_rng_below(&rng, (uint64_t)(it.length - tr->window + 1));
            it.length = tr->window;
        }
        /* longest first: neighbours in the lanes of the solver are then of like length */
        int64_t at = i;
        for (; at > 0 && item[at - 1].length < it.length; at--)
            item[at] = item[at - 1];
        item[at] = it;
    }
    for (int64_t i = 0; visible && i < count; i++) {
        rng = vdi__vilds_rng(tr->seed, VDI__V_RNG_MASK, phase << 32 | step,
                             (1 << 22) + item[i].trial);
        bool some = vdi_rng_bernoulli(&rng, tr->mask_trials);
        for (int64_t j = 0; j < n; j++)
            visible[i * n + j] = !(some && vdi_rng_bernoulli(&rng, tr->mask_rate));
    }
    vdi_status status = vdi__vilds_batch(m, data, item, count, visible, true, &b, err);
    if (status < 0) return status;
    vdi__vilds_elbo(m, &b,
                    vdi__vilds_closed(m) ? vdi__no_tensor()
                                         : vdi__vilds_eps(m, &b, tr->samples, tr->seed,
                                                          VDI__V_RNG_EPS, phase << 32 | step),
                    tr->sampled_kl, &e);
    *loss = vdi_var_mul_scalar(m->tape, vdi_var_sum(m->tape, e.elbo), -1 / (double)b.bins);
    return vdi_tape_status(m->tape, err);
}

VDI__FN double vdi__vilds_gate(const vdi_vilds_train *tr, double fraction) {
    if (fraction >= tr->open_to) return 1;
    return fraction <= tr->open_from ? 0
                                     : (fraction - tr->open_from) / (tr->open_to - tr->open_from);
}

VDI__DEF vdi_status vdi_vilds_loss(vdi_vilds *m, vdi_vilds_data *data, int64_t step, double *loss,
                                   vdi_error *err) {
    vdi_var v = vdi_var_none();
    double gate = m->number[VDI__V_GATE];
    m->number[VDI__V_GATE] =
        vdi__vilds_gate(&m->desc.train, (double)step / (double)m->desc.train.steps);
    vdi_params_zero_grad(m->params);
    vdi_status status = vdi__vilds_graph(m, data, m->desc.train.restarts, step, &v, err);
    if (status >= 0) {
        *loss = vdi_tape_item(m->tape, v);
        (void)vdi_tape_backward(m->tape, v);
        status = vdi_tape_status(m->tape, err);
    }
    m->number[VDI__V_GATE] = gate;
    return status;
}

/* After a step: A within the unit circle. */
#define VDI__VILDS_RADIUS 0.9995
VDI__FN void vdi__vilds_stabilise(vdi_vilds *m, int64_t index) {
    int64_t d = m->desc.d;
    vdi_tensor A = m->params->item[index].value;
    double a[64 * 64], work[2 * 64 * 64];
    if (m->params->item[index].frozen) return;
    for (int64_t i = 0; i < d * d; i++)
        a[i] = vdi_dtype_load(A.dtype, A.data, i);
    double radius = vdi__vm_radius(d, a, work);
    if (radius > VDI__VILDS_RADIUS) {
        for (int64_t i = 0; i < d * d; i++)
            vdi_dtype_store(A.dtype, A.data, i, a[i] * VDI__VILDS_RADIUS / radius);
    }
}

VDI__DEF vdi_status vdi_vilds_step(vdi_vilds *m, vdi_vilds_data *data, vdi_vilds_data *validation,
                                   vdi_vilds_progress *p, vdi_error *err) {
    static const char where[] = "vdi_vilds_step";
    const vdi_vilds_train *tr = &m->desc.train;
    int64_t *c = m->count, starts = tr->restarts > 1 ? tr->restarts : 0;
    double *x = m->number;
    vdi_error detail;
    if (!c[VDI__V_READY]) {
        vdi_status status = vdi_vilds_init(m, data, 0, err);
        if (status < 0) return status;
        vdi_optim_reset(m->optim);
        c[VDI__V_READY] = 1;
    }
    bool full = c[VDI__V_START] >= starts;
    if (full && c[VDI__V_STEP] >= tr->steps) return VDI_END;
    int64_t step = c[VDI__V_STEP];
    double fraction = (double)step / (double)tr->steps;
    double ramp = tr->warmup ? VDI__MIN(1.0, (double)(step + 1) / (double)tr->warmup) : 1;
    double rate = tr->rate;
    if (full)
        rate = tr->last_rate + 0.5 * (tr->rate - tr->last_rate) * (1 + cos(VDI_PI * fraction));
    rate *= ramp * x[VDI__V_SCALE];
    x[VDI__V_GATE] = full ? vdi__vilds_gate(tr, fraction) : 0;
    vdi_optim_set_rate(m->optim, rate > 1e-12 ? rate : 1e-12);

    vdi_var loss = vdi_var_none();
    vdi_params_zero_grad(m->params);
    vdi_status status = vdi__vilds_graph(m, data, c[VDI__V_START], step, &loss, &detail);
    if (status >= 0 && !isfinite(vdi_tape_item(m->tape, loss)))
        status = vdi_error_set(&detail, VDI_ERR_NUMERIC, where, "the bound is not finite");
    if (status >= 0) {
        (void)vdi_tape_backward(m->tape, loss);
        status = vdi_tape_status(m->tape, &detail);
    }
    if (status >= 0 && tr->weight_decay > 0 && m->decoder >= 0) {
        for (int i = 0; i <= m->desc.layers; i++) {
            const vdi_param *w = &m->params->item[m->decoder + 2 * i];
            vdi_axpby(m->desc.dtype, (size_t)vdi_tensor_count(w->value),
                      2 * tr->weight_decay / (double)data->total, w->value.data, 1, w->grad.data);
        }
    }
    vdi_named_tensor *memory = vdi_optim_state(m->optim)->tensors;
    void *am = (char *)memory[0].tensor.data, *av = (char *)memory[m->params->count].tensor.data;
    if (status >= 0) {
        /* what the next step falls back on if this one goes too far */
        vdi__vilds_copy(m, m->safe, m->params->values);
        vdi__vilds_copy(m, m->safe_m, am);
        vdi__vilds_copy(m, m->safe_v, av);
        status = vdi_optim_step(m->optim, &detail);
    }
    if (status < 0) {
        if (status != VDI_ERR_NUMERIC && status != VDI_ERR_NOT_POSITIVE_DEFINITE) {
            if (err) *err = detail;
            return status;
        }
        if (x[VDI__V_SCALE] < 1e-6) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, where, "no step is short enough: %s",
                                 detail.message);
        }
        if (step > 0) {
            vdi__vilds_copy(m, m->params->values, m->safe);
            vdi__vilds_copy(m, am, m->safe_m);
            vdi__vilds_copy(m, av, m->safe_v);
        }
        c[VDI__V_UNDONE]++;
        x[VDI__V_SCALE] *= 0.5;
        vdi_log_message(&m->desc.logger, VDI_LOG_WARNING, where,
                        "step %lld undone, the next are shorter by %g: %s",
                        (long long)c[VDI__V_DONE], x[VDI__V_SCALE], detail.message);
    } else {
        vdi__vilds_stabilise(m, m->A);
        if (m->desc.untied) vdi__vilds_stabilise(m, m->own_A);
        x[VDI__V_SCALE] = VDI__MIN(1.0, x[VDI__V_SCALE] * 1.01);
        x[VDI__V_ELBO] = -vdi_tape_item(m->tape, loss);
    }
    c[VDI__V_STEP]++;
    c[VDI__V_DONE]++;
    status = VDI_OK;

    if (!full && c[VDI__V_STEP] >= tr->restart_steps) {
        /* a start is over: is it the best so far? */
        double elbo = 0;
        vdi_status scored = vdi__vilds_elbo_all(m, data, 2, tr->seed, NULL, &elbo, &detail);
        vdi_log_message(&m->desc.logger, VDI_LOG_INFO, where, "start %lld of %lld: ELBO %g",
                        (long long)c[VDI__V_START] + 1, (long long)starts, elbo);
        if (scored >= 0 && isfinite(elbo) &&
            (!c[VDI__V_HAVE_BEST] || elbo > x[VDI__V_START_ELBO])) {
            vdi__vilds_copy(m, m->start_best, m->params->values);
            x[VDI__V_START_ELBO] = elbo;
            c[VDI__V_HAVE_BEST] = 1;
            c[VDI__V_BEST_START] = c[VDI__V_START];
        }
        c[VDI__V_START]++;
        c[VDI__V_STEP] = 0;
        x[VDI__V_SCALE] = 1;
        if (c[VDI__V_START] < starts) {
            status = vdi_vilds_init(m, data, (uint64_t)c[VDI__V_START], err);
        } else if (!c[VDI__V_HAVE_BEST]) {
            status = vdi_error_set(err, VDI_ERR_NUMERIC, where,
                                   "none of %lld starts has a finite bound", (long long)starts);
        } else {
            vdi__vilds_copy(m, m->params->values, m->start_best);
        }
        c[VDI__V_HAVE_BEST] = c[VDI__V_START] < starts ? c[VDI__V_HAVE_BEST] : 0;
        vdi_optim_reset(m->optim);
    } else if (full && validation &&
               (c[VDI__V_STEP] % tr->eval_every == 0 || c[VDI__V_STEP] == tr->steps) &&
               (x[VDI__V_GATE] >= 1 || m->desc.reach == 0)) {
        double v = 0;
        vdi_status scored = vdi__vilds_elbo_all(m, validation, 4, tr->seed, NULL, &v, &detail);
        if (scored >= 0 && isfinite(v)) {
            x[VDI__V_VALIDATION] = v;
            if (!c[VDI__V_HAVE_BEST] || v > x[VDI__V_BEST]) {
                vdi__vilds_copy(m, m->best, m->params->values);
                x[VDI__V_BEST] = v;
                c[VDI__V_HAVE_BEST] = 1;
                c[VDI__V_STALE] = 0;
            } else {
                c[VDI__V_STALE]++;
            }
        }
        if (tr->patience && c[VDI__V_STALE] >= tr->patience) c[VDI__V_STEP] = tr->steps;
    }
    if (c[VDI__V_START] >= starts && c[VDI__V_STEP] >= tr->steps) {
        if (c[VDI__V_HAVE_BEST]) vdi__vilds_copy(m, m->params->values, m->best);
        x[VDI__V_GATE] = 1;
    }
    if (p) {
        p->step = c[VDI__V_DONE];
        p->steps = starts * tr->restart_steps + tr->steps;
        p->start = c[VDI__V_START];
        p->starts = starts;
        p->elbo = x[VDI__V_ELBO];
        p->validation = x[VDI__V_VALIDATION];
        p->rate = rate;
        p->undone = c[VDI__V_UNDONE];
    }
    return status;
}

VDI__DEF vdi_status vdi_vilds_fit(vdi_vilds *m, vdi_vilds_data *data, vdi_vilds_data *validation,
                                  vdi_vilds_progress_fn fn, void *user, vdi_error *err) {
    for (;;) {
        vdi_vilds_progress p;
        vdi_status status = vdi_vilds_step(m, data, validation, &p, err);
        if (status == VDI_END) return VDI_OK;
        if (status < 0) return status;
        if (fn && !fn(&p, user)) return VDI_STOPPED;
    }
}

VDI__DEF void vdi_vilds_resume_from_here(vdi_vilds *m) {
    int64_t starts = m->desc.train.restarts > 1 ? m->desc.train.restarts : 0;
    m->count[VDI__V_READY] = 1;
    m->count[VDI__V_START] = starts;
    m->count[VDI__V_STEP] = m->count[VDI__V_STALE] = m->count[VDI__V_HAVE_BEST] = 0;
    m->number[VDI__V_SCALE] = 1;
    vdi_optim_reset(m->optim);
}

/* ======== state =============================================================================== */

VDI__DEF const vdi_state *vdi_vilds_state(vdi_vilds *m, bool training) {
    vdi_state *s = &m->state;
    const vdi_state *p = vdi_params_state(m->params);
    int64_t n = 0;
    for (int64_t i = 0; i < p->tensor_count; i++)
        m->tensors[n++] = p->tensors[i];
    m->tensors[n].name = "data.mean";
    m->tensors[n++].tensor = vdi_tensor_1d(m->mean, VDI_F64, m->desc.n);
    m->tensors[n].name = "data.sd";
    m->tensors[n++].tensor = vdi_tensor_1d(m->sd, VDI_F64, m->desc.n);
    m->stats++; /* somebody may write to them */
    if (training) {
        const vdi_state *o = vdi_optim_state(m->optim);
        for (int64_t i = 0; i < o->tensor_count; i++)
            m->tensors[n++] = o->tensors[i];
        m->tensors[n].name = "train.count";
        m->tensors[n++].tensor = vdi_tensor_1d(m->count, VDI_I64, 8);
        m->tensors[n].name = "train.number";
        m->tensors[n++].tensor = vdi_tensor_1d(m->number, VDI_F64, 8);
        m->tensors[n].name = "train.best";
        m->tensors[n++].tensor = vdi_tensor_1d(m->best, m->desc.dtype, m->params->total);
        m->tensors[n].name = "train.start_best";
        m->tensors[n++].tensor = vdi_tensor_1d(m->start_best, m->desc.dtype, m->params->total);
        /* what the next step may have to go back to */
        static const char *const safe[] = {"train.safe", "train.safe_m", "train.safe_v"};
        void *copy[3];
        copy[0] = m->safe;
        copy[1] = m->safe_m;
        copy[2] = m->safe_v;
        for (int i = 0; i < 3; i++) {
            m->tensors[n].name = safe[i];
            m->tensors[n++].tensor = vdi_tensor_1d(copy[i], m->desc.dtype, m->params->total);
        }
    }
    s->tensors = m->tensors;
    s->tensor_count = n;
    static const char *const obs[] = {"poisson", "gaussian", "gc", "negbin", "bernoulli"};
    struct {
        const char *key;
        int64_t value;
    } number[9];
    int64_t k = 0, values = 0;
    number[values].key = "d";
    number[values++].value = m->desc.d;
    number[values].key = "n";
    number[values++].value = m->desc.n;
    number[values].key = "inputs";
    number[values++].value = m->desc.inputs;
    number[values].key = "reach";
    number[values++].value = m->desc.reach;
    number[values].key = "max_count";
    number[values++].value = m->desc.max_count;
    number[values].key = "untied";
    number[values++].value = m->desc.untied;
    number[values].key = "skip";
    number[values++].value = m->desc.skip;
    number[values].key = "free_start";
    number[values++].value = m->desc.free_start;
    m->meta[k].key = "model";
    m->meta[k++].value = "vilds";
    m->meta[k].key = "obs";
    m->meta[k++].value = m->desc.log_joint ? "user" : obs[m->desc.obs];
    m->meta[k].key = "link";
    m->meta[k++].value = m->desc.link == VDI_VILDS_SOFTPLUS ? "softplus" : "exp";
    m->meta[k].key = "posterior";
    m->meta[k++].value = vdi_vilds_family_of(m->desc.posterior)->name;
    for (int64_t i = 0; i < values; i++) {
        (void)vdi_text_format(m->text[i], sizeof m->text[i], "%lld", (long long)number[i].value);
        m->meta[k].key = number[i].key;
        m->meta[k++].value = m->text[i];
    }
    (void)vdi_text_format(m->text[values + 3], sizeof m->text[0], "%.17g", m->desc.bin_width);
    m->meta[k].key = "bin_width";
    m->meta[k++].value = m->text[values + 3];
    for (int which = 0; which < 3; which++) { /* "60,60" or "none" */
        const int64_t *size = which == 2 ? m->desc.transition_hidden
                              : which    ? m->desc.encoder_hidden
                                         : m->desc.hidden;
        int32_t layers = which == 2 ? m->desc.transition_layers
                         : which    ? m->desc.encoder_layers
                                    : m->desc.layers;
        char *text = m->text[values + which];
        size_t used = vdi_text_copy(text, sizeof m->text[0], layers ? "" : "none");
        for (int i = 0; i < layers; i++) {
            used += vdi_text_format(text + used, sizeof m->text[0] - used, i ? ",%lld" : "%lld",
                                    (long long)size[i]);
        }
        m->meta[k].key = which == 2 ? "transition_hidden" : which ? "encoder_hidden" : "hidden";
        m->meta[k++].value = text;
    }
    s->meta = m->meta;
    s->meta_count = k;
    return s;
}
#endif
