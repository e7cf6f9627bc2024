/* model/vilds/model.h - the model object: its parameters, their initial values, and its state;
 * declared in vilds.h
 */
#ifndef VDI_MODEL_VILDS_MODEL_H
#define VDI_MODEL_VILDS_MODEL_H
#include "data.h"
#include "posterior.h"
#endif /* VDI_MODEL_VILDS_MODEL_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_MODEL_C)
#define VDI_MODEL_VILDS_MODEL_C

/* Where the parameters of each part stand in the list; -1: there is none. */
typedef struct vdi__vilds_dynamics {
    int64_t A, Q, Q0, x0, B;
} vdi__vilds_dynamics;
typedef struct vdi__vilds_places {
    vdi__vilds_dynamics prior, own;  /* own: of an untied posterior */
    int64_t window, mask, bias, net; /* of the encoder */
    int64_t decoder, skip, obs;      /* of the observations */
    int64_t transition, user;
} vdi__vilds_places;

/* Counters and numbers of the training: all that a run needs to go on, besides parameters and the
 * optimiser's memory. Saved as the tensors "train.count" and "train.number": their order is part of
 * the format. */
typedef struct vdi__vilds_training {
    int64_t start;      /* which start; as many as there are: the full schedule */
    int64_t step;       /* of it */
    int64_t done;       /* steps in all */
    int64_t undone;     /* of which were undone */
    int64_t ready;      /* are there parameters to go on from? */
    int64_t stale;      /* validations without gain */
    int64_t have_best;  /* is there a best start, or best parameters on validation? */
    int64_t best_start; /* which */
    double scale;       /* on the rate; undone steps halve it */
    double start_elbo;  /* of the best start */
    double best;        /* of validation */
    double validation;  /* the last one */
    double elbo;        /* of the last step */
    double gate;        /* 0..1: how far the encoder's window is open */
    double reserved[2];
} vdi__vilds_training;
enum { VDI__VILDS_COUNTS = 8, VDI__VILDS_NUMBERS = 8 };

/* Purposes of random numbers. */
enum {
    VDI__VILDS_RNG_INIT = 1,
    VDI__VILDS_RNG_ORDER,
    VDI__VILDS_RNG_MASK,
    VDI__VILDS_RNG_EPS,
    VDI__VILDS_RNG_SCORE,
    VDI__VILDS_RNG_DRAW,
    VDI__VILDS_RNG_NATURAL,
    VDI__VILDS_RNG_PARTICLE
};

struct vdi_vilds {
    vdi_arena memory; /* what lives as long as the model, itself too */
    vdi_arena arena;  /* of the batch at hand */
    vdi_vilds_desc desc;
    vdi_params *params;
    vdi_param_desc *list;
    int64_t list_count;
    vdi__vilds_places at;
    vdi_mlp_desc net_desc, decoder_desc, transition_desc;
    vdi_optim *optim;
    vdi_tape *tape;
    double *mean, *sd;            /* (n) of the data that the model was started on */
    uint64_t stats;               /* changes when mean and sd do */
    double *work;                 /* (3,d,d) */
    void *best, *start_best;      /* parameters: best on validation, best of the starts */
    void *safe, *safe_m, *safe_v; /* parameters and the optimiser's memory before the last step */
    vdi__vilds_training run;
    vdi_state state;
    vdi_named_tensor *tensors; /* (tensor_room) */
    int64_t tensor_room;
    vdi_meta_list meta;
    bool doubted; /* a bound above any density was told of */
    bool rests;   /* trained without a network: posteriors begin from rest */
};

VDI__FN vdi_rng vdi__vilds_rng(uint64_t seed, int what, int64_t a, int64_t b) {
    return vdi_rng_make(seed ^ (uint64_t)what << 56, (uint64_t)a << 24 ^ (uint64_t)b);
}

/* Starts before the full schedule: none if there is but one. */
VDI__FN int64_t vdi__vilds_starts(const vdi_vilds *m) {
    return m->desc.train.restarts > 1 ? m->desc.train.restarts : 0;
}
VDI__FN bool vdi__vilds_in_schedule(const vdi_vilds *m) {
    return m->run.start >= vdi__vilds_starts(m);
}
/* Is the schedule over, so that the encoder alone goes on? */
VDI__FN bool vdi__vilds_encoder_alone(const vdi_vilds *m) {
    const int64_t after = m->run.step - m->desc.train.steps;
    return vdi__vilds_in_schedule(m) && after >= 0 && after < m->desc.train.encoder_steps;
}

VDI__FN double vdi__vilds_get(const vdi_param *p, int64_t i) {
    return vdi_dtype_load(p->value.dtype, p->value.data, i);
}
VDI__FN void vdi__vilds_put(vdi_param *p, int64_t i, double v) {
    vdi_dtype_store(p->value.dtype, p->value.data, i, v);
}

/* Data that were made for a model like this one? */
VDI__FN vdi_status vdi__vilds_fits(const vdi_vilds *m, const vdi_vilds_data *data,
                                   const char *where, vdi_error *err) {
    const vdi_vilds_desc *d = &m->desc;
    if (data->n == d->n && data->inputs == d->inputs && data->dtype == d->dtype) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_SHAPE, where,
                         "data were made for n %lld, inputs %lld, %s; the model has %lld, %lld, %s",
                         (long long)data->n, (long long)data->inputs,
                         vdi__dtype_names[data->dtype == VDI_F64], (long long)d->n,
                         (long long)d->inputs, vdi__dtype_names[d->dtype == VDI_F64]);
}

/* ---- the list of parameters ------------------------------------------------------------------ */

VDI__FN int64_t vdi__vilds_add(vdi_vilds *m, vdi_param_desc p) {
    if (m->list) m->list[m->list_count] = p;
    return m->list_count++;
}

VDI__FN vdi__vilds_dynamics vdi__vilds_declare_dynamics(vdi_vilds *m, bool own) {
    const vdi_vilds_desc *d = &m->desc;
    const int64_t dd = d->d;
    const double start = -0.5 * log1p(-d->a0 * d->a0);
    vdi__vilds_dynamics at;
    vdi_param_desc p;
    at.B = -1;
    p = vdi_param_2d(own ? "own.A" : "prior.A", VDI_INIT_IDENTITY, d->a0, dd, dd);
    at.A = vdi__vilds_add(m, p);
    p = vdi_param_2d(own ? "own.Q" : "prior.Q", VDI_INIT_IDENTITY, start, dd, dd);
    at.Q = vdi__vilds_add(m, p);
    p = vdi_param_2d(own ? "own.Q0" : "prior.Q0", VDI_INIT_ZEROS, 0, dd, dd);
    p.frozen = !d->free_start;
    at.Q0 = vdi__vilds_add(m, p);
    p = vdi_param_1d(own ? "own.x0" : "prior.x0", VDI_INIT_ZEROS, 0, dd);
    p.frozen = !d->free_start;
    at.x0 = vdi__vilds_add(m, p);
    if (d->inputs) {
        p = vdi_param_2d(own ? "own.B" : "prior.B", VDI_INIT_ZEROS, 0, d->inputs, dd);
        at.B = vdi__vilds_add(m, p);
    }
    return at;
}

/* A perceptron with tanh between `in` inputs, the hidden layers and `out` outputs; where it
 * begins. */
VDI__FN int64_t vdi__vilds_declare_net(vdi_vilds *m, vdi_mlp_desc *g, const char *name, int64_t in,
                                       int32_t layers, const int64_t *hidden, int64_t out) {
    const int64_t first = m->list_count;
    memset(g, 0, sizeof *g);
    g->name = name;
    g->act = VDI_ACT_TANH;
    if (in) g->sizes[g->layers++] = in;
    for (int i = 0; i < layers; i++)
        g->sizes[g->layers++] = hidden[i];
    g->sizes[g->layers] = out;
    m->list_count +=
        vdi_mlp_declare(g, m->list ? m->list + first : NULL, m->list ? 2 * g->layers : 0);
    return first;
}

VDI__FN void vdi__vilds_declare_encoder(vdi_vilds *m) {
    const vdi_vilds_desc *d = &m->desc;
    const int64_t outputs = vdi__family_of(d->posterior)->outputs(d->d);
    const int64_t n = d->n, width = 2 * d->reach + 1, fan_in = (width + 1) * n;
    const int64_t first = d->encoder_layers ? d->encoder_hidden[0] : outputs;
    vdi_param_desc p = vdi_param_3d("encoder.window", VDI_INIT_FAN_IN, 1, width, n, first);
    p.fan_in = fan_in;
    m->at.window = vdi__vilds_add(m, p);
    p = vdi_param_2d("encoder.mask", VDI_INIT_FAN_IN, 1, n, first);
    p.fan_in = fan_in;
    m->at.mask = vdi__vilds_add(m, p);
    p = vdi_param_1d("encoder.bias", VDI_INIT_FAN_IN, 1, first);
    p.fan_in = fan_in;
    m->at.bias = vdi__vilds_add(m, p);
    if (!d->encoder_layers) return;
    m->at.net = vdi__vilds_declare_net(m, &m->net_desc, "encoder.net", 0, d->encoder_layers,
                                       d->encoder_hidden, outputs);
}

VDI__FN void vdi__vilds_declare_decoder(vdi_vilds *m) {
    const vdi_vilds_desc *d = &m->desc;
    const vdi__obs_ops *obs = vdi__vilds_obs(d);
    m->at.decoder =
        vdi__vilds_declare_net(m, &m->decoder_desc, "decoder", d->d, d->layers, d->hidden, d->n);
    if (d->skip && d->layers) {
        m->at.skip =
            vdi__vilds_add(m, vdi_param_2d("decoder.skip", VDI_INIT_FAN_IN, 0.5, d->d, d->n));
    }
    if (obs->parameter) m->at.obs = vdi__vilds_add(m, obs->parameter(d));
}

/* Run once to count the parameters and once to write their descriptions. */
VDI__FN void vdi__vilds_declare(vdi_vilds *m) {
    const vdi_vilds_desc *d = &m->desc;
    vdi__vilds_places *at = &m->at;
    m->list_count = 0;
    at->net = at->decoder = at->skip = at->obs = at->transition = at->own.B = -1;
    at->prior = vdi__vilds_declare_dynamics(m, false);
    if (d->untied) at->own = vdi__vilds_declare_dynamics(m, true);
    vdi__vilds_declare_encoder(m);
    if (!d->log_joint) vdi__vilds_declare_decoder(m);
    if (d->transition_layers) {
        at->transition = vdi__vilds_declare_net(m, &m->transition_desc, "transition", d->d,
                                                d->transition_layers, d->transition_hidden, d->d);
    }
    at->user = m->list_count;
    for (int64_t i = 0; i < d->user_param_count; i++)
        (void)vdi__vilds_add(m, d->user_params[i]);
}

/* ---- create and destroy ---------------------------------------------------------------------- */

VDI__FN size_t vdi__vilds_bytes(const vdi_vilds *m) {
    return (size_t)m->params->total * vdi_dtype_size(m->desc.dtype);
}

VDI__DEF void vdi_vilds_destroy(vdi_vilds *m) {
    if (!m) return;
    vdi_optim_destroy(m->optim);
    vdi_params_destroy(m->params);
    vdi_tape_destroy(m->tape);
    vdi_arena_free(&m->arena);
    vdi_arena memory = m->memory; /* the object lies in its own arena */
    vdi_arena_free(&memory);
}

/* Lists and arrays whose sizes the description gives. */
VDI__FN vdi_status vdi__vilds_reserve(vdi_vilds *m, vdi_error *err) {
    const vdi_vilds_desc *d = &m->desc;
    const size_t n = (size_t)d->n, dd = (size_t)(d->d * d->d);
    vdi__vilds_declare(m);
    const size_t count = (size_t)m->list_count;
    m->list = (vdi_param_desc *)vdi_arena_alloc(&m->memory, count * sizeof *m->list);
    m->mean = (double *)vdi_arena_calloc(&m->memory, n * sizeof *m->mean);
    m->sd = (double *)vdi_arena_alloc(&m->memory, n * sizeof *m->sd);
    m->work = (double *)vdi_arena_alloc(&m->memory, 3 * dd * sizeof *m->work);
    m->tensor_room = 3 * m->list_count + 16;
    m->tensors = (vdi_named_tensor *)vdi_arena_alloc(&m->memory,
                                                     (size_t)m->tensor_room * sizeof *m->tensors);
    if (!m->list || !m->mean || !m->sd || !m->work || !m->tensors) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_create", "no memory");
    }
    vdi__vilds_declare(m);
    m->desc.user_params = m->list + m->at.user;
    for (int64_t j = 0; j < d->n; j++)
        m->sd[j] = 1;
    m->stats = 1;
    return VDI_OK;
}

/* Parameters, tape and optimiser, and room for their copies. */
VDI__FN vdi_status vdi__vilds_build(vdi_vilds *m, vdi_error *err) {
    const vdi_vilds_desc *d = &m->desc;
    vdi_rng rng = vdi__vilds_rng(d->train.seed, VDI__VILDS_RNG_INIT, 0, 0);
    vdi_tape_desc tape = vdi_tape_desc_defaults();
    vdi_optim_desc optim = vdi_optim_desc_defaults();
    tape.dtype = d->log_joint ? VDI_F64 : d->dtype; /* numbers in a log joint are as z is */
    tape.allocator = d->allocator;
    tape.pool = d->pool;
    tape.block_size = (size_t)1 << 20;
    optim.rate = d->train.rate;
    optim.clip_norm = d->train.clip_norm;
    vdi_status status =
        vdi_params_create(m->list, m->list_count, d->dtype, &d->allocator, &rng, &m->params, err);
    if (status >= 0) status = vdi_tape_create(&tape, &m->tape, err);
    if (status >= 0) status = vdi_optim_create(&optim, m->params, &d->allocator, &m->optim, err);
    if (status < 0) return status;
    const size_t bytes = vdi__vilds_bytes(m);
    m->best = vdi_arena_calloc(&m->memory, bytes);
    m->start_best = vdi_arena_calloc(&m->memory, bytes);
    m->safe = vdi_arena_calloc(&m->memory, bytes);
    m->safe_m = vdi_arena_calloc(&m->memory, bytes);
    m->safe_v = vdi_arena_calloc(&m->memory, bytes);
    if (m->best && m->start_best && m->safe && m->safe_m && m->safe_v) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_create", "no memory");
}

VDI__DEF vdi_status vdi_vilds_create(const vdi_vilds_desc *desc, vdi_vilds **out, vdi_error *err) {
    const vdi_vilds_desc d = vdi_vilds_desc_defaults(desc);
    vdi_arena memory;
    *out = NULL;
    vdi_status status = vdi_vilds_desc_check(&d, err);
    if (status < 0) return status;
    vdi_arena_init(&memory, &d.allocator, 0);
    vdi_vilds *m = (vdi_vilds *)vdi_arena_calloc(&memory, sizeof *m);
    if (!m) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_create", "no memory");
    m->memory = memory;
    m->desc = d;
    m->run.scale = m->run.gate = 1;
    m->run.validation = (double)NAN;
    vdi_arena_init(&m->arena, &d.allocator, 0);
    status = vdi__vilds_reserve(m, err);
    if (status >= 0) status = vdi__vilds_build(m, err);
    if (status < 0)
        vdi_vilds_destroy(m);
    else
        *out = m;
    return status;
}

VDI__DEF const vdi_vilds_desc *vdi_vilds_description(const vdi_vilds *m) { return &m->desc; }
VDI__DEF vdi_params *vdi_vilds_params(vdi_vilds *m) { return m->params; }

VDI__DEF vdi_status vdi_vilds_data_desc_check(const vdi_vilds *m, const vdi_vilds_data_desc *desc,
                                              vdi_error *err) {
    vdi__series s;
    return vdi__vilds_data_check(&m->desc, desc, &s, err);
}

VDI__DEF vdi_status vdi_vilds_data_create(const vdi_vilds *m, const vdi_vilds_data_desc *desc,
                                          vdi_vilds_data **out, vdi_error *err) {
    return vdi__vilds_data_make(&m->desc, desc, out, err);
}

/* ---- covariances ----------------------------------------------------------------------------- */

VDI__FN vdi_param *vdi__vilds_covariance(const vdi_vilds *m, const char *name, const char *where,
                                         vdi_error *err) {
    vdi_param *p = vdi_params_find(m->params, name);
    const int64_t d = m->desc.d;
    if (p && p->value.ndim == 2 && p->value.shape[0] == d && p->value.shape[1] == d) return p;
    (void)vdi_error_set(err, VDI_ERR_ARGUMENT, where, "there is no (%lld,%lld) parameter %s",
                        (long long)d, (long long)d, name);
    return NULL;
}

VDI__DEF vdi_status vdi_vilds_set_covariance(vdi_vilds *m, const char *name, const double *cov,
                                             vdi_error *err) {
    vdi_param *p = vdi__vilds_covariance(m, name, "vdi_vilds_set_covariance", err);
    const int64_t d = m->desc.d;
    double *q = m->work;
    if (!p) return VDI_ERR_ARGUMENT;
    vdi_status status = vdi__precision_parameters(d, cov, q, q + d * d, err);
    for (int64_t i = 0; i < d * d && status >= 0; i++)
        vdi__vilds_put(p, i, q[i]);
    return status;
}

VDI__DEF vdi_status vdi_vilds_get_covariance(const vdi_vilds *m, const char *name, double *cov,
                                             vdi_error *err) {
    const vdi_param *p = vdi__vilds_covariance(m, name, "vdi_vilds_get_covariance", err);
    const int64_t d = m->desc.d;
    double *q = m->work;
    if (!p) return VDI_ERR_ARGUMENT;
    for (int64_t i = 0; i < d * d; i++)
        q[i] = vdi__vilds_get(p, i);
    vdi__precision_covariance(d, q, cov, q + d * d);
    return VDI_OK;
}

/* ---- the start ------------------------------------------------------------------------------- */

/* Means and deviations of what is seen. */
VDI__FN void vdi__vilds_statistics(vdi_vilds *m, const vdi_vilds_data *data) {
    const int64_t n = m->desc.n;
    for (int64_t j = 0; j < n; j++) {
        double count = 0, sum = 0, squares = 0;
        for (int64_t r = 0; r < data->trials * data->T; r++) {
            if (!vdi__vilds_seen(data, r, j)) continue;
            const double v = vdi_dtype_load(data->dtype, data->y, r * n + j);
            count += 1;
            sum += v;
            squares += v * v;
        }
        m->mean[j] = count > 0 ? sum / count : 0;
        const double variance = count > 0 ? squares / count - m->mean[j] * m->mean[j] : 0;
        m->sd[j] = sqrt(VDI__MAX(variance, 0)) + VDI__OBS_SD_GUARD;
    }
    m->stats++;
}

/* What a channel's read-out starts from. */
VDI__FN vdi__obs_channel vdi__vilds_channel(const vdi_vilds *m, const vdi_vilds_data *data,
                                            int64_t j) {
    vdi__obs_channel c;
    double exposure = 0, shift = 0, count = 0;
    for (int64_t r = 0; data->offset && r < data->trials * data->T; r++) {
        if (!vdi__vilds_seen(data, r, j)) continue;
        const double s = vdi_dtype_load(data->dtype, data->offset, r * m->desc.n + j);
        count += 1;
        shift += s;
        exposure += exp(s);
    }
    c.mean = m->mean[j];
    c.sd = m->sd[j];
    c.exposure = count > 0 ? exposure / count : 1;
    c.shift = count > 0 ? shift / count : 0;
    return c;
}

VDI__FN void vdi__vilds_start_decoder(vdi_vilds *m, const vdi_vilds_data *data) {
    const vdi_vilds_desc *d = &m->desc;
    const vdi__obs_ops *obs = vdi__vilds_obs(d);
    vdi_param *p = m->params->item, *bias = &p[m->at.decoder + 2 * d->layers + 1];
    for (int k = 0; k < 2 && d->layers; k++) {
        vdi_param *first = &p[m->at.decoder + k];
        for (int64_t i = 0; i < vdi_tensor_count(first->value); i++)
            vdi__vilds_put(first, i, d->first_scale * vdi__vilds_get(first, i));
    }
    for (int64_t j = 0; j < d->n; j++) {
        const vdi__obs_channel c = vdi__vilds_channel(m, data, j);
        vdi_tensor own = m->at.obs >= 0 ? p[m->at.obs].value : vdi__no_tensor();
        vdi__vilds_put(bias, j, obs->start(d, &c, own, j));
    }
}

VDI__FN vdi_status vdi__vilds_start_encoder(vdi_vilds *m, vdi_error *err) {
    const vdi_vilds_desc *d = &m->desc;
    const vdi__family *family = vdi__family_of(d->posterior);
    const int64_t outputs = family->outputs(d->d);
    const int64_t last = d->encoder_layers ? m->at.net + 2 * d->encoder_layers - 1 : m->at.bias;
    vdi_arena_reset(&m->arena);
    double *bias = (double *)vdi_arena_calloc(&m->arena, (size_t)outputs * sizeof *bias);
    if (!bias) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_init", "no memory");
    family->start(d->d, bias);
    for (int64_t i = 0; i < outputs; i++)
        vdi__vilds_put(&m->params->item[last], i, bias[i]);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_vilds_init(vdi_vilds *m, vdi_vilds_data *data, uint64_t start,
                                   vdi_error *err) {
    const vdi_vilds_desc *d = &m->desc;
    vdi_param *p = m->params->item;
    vdi_rng rng = vdi__vilds_rng(d->train.seed, VDI__VILDS_RNG_INIT, (int64_t)start, 0);
    const int64_t g = m->at.transition, g_count = g < 0 ? 0 : 2 * (d->transition_layers + 1);
    vdi_status status = vdi__vilds_fits(m, data, "vdi_vilds_init", err);
    if (status >= 0) status = vdi_params_init(m->params, m->list, &rng, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < m->list_count; i++)
        p[i].frozen = m->list[i].frozen;
    if (d->train.frozen_dynamics) {
        const vdi__vilds_dynamics *at = &m->at.prior;
        p[at->A].frozen = p[at->Q].frozen = p[at->Q0].frozen = p[at->x0].frozen = true;
        if (at->B >= 0) p[at->B].frozen = true;
        for (int64_t i = 0; i < g_count; i++)
            p[g + i].frozen = true;
    }
    /* the nonlinear part of the transition grows out of nothing: the model starts as a linear
     * one */
    for (int64_t i = g_count; g_count && i > g_count - 2; i--)
        vdi_tensor_fill(p[g + i - 1].value, 0);
    vdi__vilds_statistics(m, data);
    status = vdi__vilds_start_encoder(m, err);
    if (status >= 0 && m->at.decoder >= 0) vdi__vilds_start_decoder(m, data);
    return status;
}

/* ---- what is handed out ---------------------------------------------------------------------- */

VDI__FN void vdi__vilds_name(vdi_vilds *m, const char *name, vdi_tensor tensor) {
    vdi_named_tensor *t = &m->tensors[m->state.tensor_count++];
    t->name = name;
    t->tensor = tensor;
}

VDI__FN void vdi__vilds_name_all(vdi_vilds *m, const vdi_state *s) {
    for (int64_t i = 0; i < s->tensor_count; i++)
        vdi__vilds_name(m, s->tensors[i].name, s->tensors[i].tensor);
}

VDI__FN void vdi__vilds_name_copy(vdi_vilds *m, const char *name, void *copy) {
    vdi__vilds_name(m, name, vdi_tensor_1d(copy, m->desc.dtype, m->params->total));
}

VDI__DEF const vdi_state *vdi_vilds_state(vdi_vilds *m, bool training) {
    vdi__vilds_training *run = &m->run;
    m->state.tensors = m->tensors;
    m->state.tensor_count = 0;
    vdi__vilds_name_all(m, vdi_params_state(m->params));
    vdi__vilds_name(m, "data.mean", vdi_tensor_1d(m->mean, VDI_F64, m->desc.n));
    vdi__vilds_name(m, "data.sd", vdi_tensor_1d(m->sd, VDI_F64, m->desc.n));
    m->stats++; /* somebody may write to them */
    if (training) {
        vdi__vilds_name_all(m, vdi_optim_state(m->optim));
        vdi__vilds_name(m, "train.count", vdi_tensor_1d(run, VDI_I64, VDI__VILDS_COUNTS));
        vdi__vilds_name(m, "train.number",
                        vdi_tensor_1d((char *)run + offsetof(vdi__vilds_training, scale), VDI_F64,
                                      VDI__VILDS_NUMBERS));
        vdi__vilds_name_copy(m, "train.best", m->best);
        vdi__vilds_name_copy(m, "train.start_best", m->start_best);
        vdi__vilds_name_copy(m, "train.safe", m->safe);
        vdi__vilds_name_copy(m, "train.safe_m", m->safe_m);
        vdi__vilds_name_copy(m, "train.safe_v", m->safe_v);
    }
    vdi_meta_clear(&m->meta);
    (void)vdi_meta_put_text(&m->meta, "model", "vilds");
    if (m->desc.log_joint) (void)vdi_meta_put_text(&m->meta, "log_joint", "user");
    (void)vdi_fields_write(vdi_vilds_desc_fields(), &m->desc, &m->meta);
    m->state.meta = m->meta.meta;
    m->state.meta_count = m->meta.count;
    return &m->state;
}
#endif
