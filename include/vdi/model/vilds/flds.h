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
 *     desc = vdi_flds_recipe(&desc, VDI_FLDS_DENSE);   a measured schedule
 *     vdi_vilds_create(&desc, &model, &err);
 *     vdi_vilds_fit(model, data, NULL, NULL, NULL, &err);
 *     vdi_flds_canonical(model, data, &err);           stationary covariance I, axes by strength
 *     vdi_flds_scores s;
 *     vdi_flds_score(model, data, NULL, &s, &err);     bits per spike, MSE
 *
 * What it does NOT do: choose d.
 * Memory: what vdi_flds_fit_encoder and vdi_flds_score need comes from the model's allocator and is
 * given back before they return; a score takes three arrays of the size of the data. Errors:
 * statuses; the model stays as it was. Threads: as model/vilds/vilds.h.
 */
#ifndef VDI_MODEL_VILDS_FLDS_H
#define VDI_MODEL_VILDS_FLDS_H
#include "../plds/plds.h"
#include "predict.h"
#include "train.h"

/** Recipes of training, by the kind of data. */
typedef enum vdi_flds_kind {
    VDI_FLDS_DENSE = 0, /**< many spikes a bin, tuning not monotone: many starts, Q0 and x0 fixed */
    VDI_FLDS_SPARSE,    /**< few spikes: gentler rates, Q0 and x0 free, a penalty on the decoder's
                             weights; ends with steps of the encoder alone, as FROM_PLDS does */
    VDI_FLDS_SMOOTH,    /**< rates near log-linear in the latent: one start; gentler rates, Q0 and
                             x0 free, the same penalty */
    VDI_FLDS_FROM_PLDS, /**< few spikes and few trials: the read-out of a Poisson LDS, to which a
                             network adds; goes on with vdi_vilds_init, vdi_flds_from_plds,
                             vdi_flds_fit_encoder, vdi_vilds_fit */
    VDI_FLDS_LINEAR     /**< a linear read-out (desc.linear): a long schedule, Q0 and x0 free; of
                             Poisson counts VDI_FLDS_FROM_PLDS is the better one */
} vdi_flds_kind;
/** How many recipes there are. */
VDI_API int vdi_flds_recipe_count(void);
/** The recipe of that name ("dense", "sparse", "smooth", "plds", "linear"), or -1. */
VDI_API int vdi_flds_recipe_find(const char *name);
/** Its name; NULL if there is no such recipe. */
VDI_API const char *vdi_flds_recipe_name(int kind);
/** `desc` with the fields that are still zero filled in by the recipe. */
VDI_API vdi_vilds_desc vdi_flds_recipe(const vdi_vilds_desc *desc, vdi_flds_kind kind);

/** Can a model of that description start from a Poisson LDS? Its observations have to be counts
 * whose log mean the decoder gives. */
VDI_API bool vdi_flds_takes_plds(const vdi_vilds_desc *desc);
/** Is a model of that description a Poisson LDS? VB-EM fits one better than steps on the bound of
 * an encoder: then VDI_FLDS_FROM_PLDS leaves its parameters as they are found. */
VDI_API bool vdi_flds_is_plds(const vdi_vilds_desc *desc);
/** Start from a Poisson LDS: its A, Q, x0, Q0; its C and b in a linear decoder (desc.linear) or in
 * the skip of a network (desc.skip) whose own output begins at 0. Then vdi_vilds_fit runs the full
 * schedule from there. Call after vdi_vilds_init. VDI_ERR_UNSUPPORTED if the model's observations
 * are not counts with the exp link. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_from_plds(vdi_vilds *m, const vdi_plds *plds,
                                                    vdi_error *err);
/** Train the encoder alone on the model as it stands, so that what vdi_vilds_fit begins with is not
 * an encoder at random; then the schedule begins. `steps` 0: 400. Stops for no callback; an
 * interrupted or failed call leaves the parameters finite. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_fit_encoder(vdi_vilds *m, vdi_vilds_data *data,
                                                      int64_t steps, vdi_error *err);

/** What vdi_flds_score finds. */
typedef struct vdi_flds_scores {
    double lno_bits, lno_mse; /**< leave-one-neuron-out: bits per spike against the constant model
                                   of vdi_vilds_constant; mean squared error of E_q rate */
    double one_step_bits, one_step_mse; /**< one step ahead */
} vdi_flds_scores;
/** Leave-one-out and one-step prediction, the latent integrated over. `q` may be NULL.
 * VDI_ERR_UNSUPPORTED if the observations are no counts, VDI_ERR_DATA if there is no spike. */
VDI_API VDI_NODISCARD vdi_status vdi_flds_score(vdi_vilds *m, vdi_vilds_data *data,
                                                const vdi_vilds_query *q, vdi_flds_scores *out,
                                                vdi_error *err);

#endif /* VDI_MODEL_VILDS_FLDS_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_FLDS_C)
#define VDI_MODEL_VILDS_FLDS_C

/* ======== recipes ============================================================================= */

/* In the order of vdi_flds_kind. Zero: the default of the description. */
typedef struct vdi__flds_row {
    const char *name;
    bool skip;       /* unless the decoder is linear: a linear read-out beside it */
    bool free_start; /* Q0 and x0 are trained */
    double first_scale, a0, rate, weight_decay, open_from, open_to;
    int64_t steps, encoder_steps, restarts, restart_steps;
} vdi__flds_row;

static const vdi__flds_row vdi__flds_rows[] = {
    {"dense", false, false, 2.5, 0, 1e-2, 0, 0, 0, 1500, 0, 16, 250},
    {"sparse", false, true, 2.5, 0.95, 5e-3, 1, 0.2, 0.3, 800, 400, 16, 200},
    {"smooth", false, true, 1, 0.95, 5e-3, 1, 0, 0, 1000, 0, 1, 250},
    {"plds", true, true, 1, 0.95, 5e-3, 1, 0, 1e-9, 800, 400, 1,
     200}, /* open from the first step on */
    {"linear", false, true, 1, 0.95, 1e-2, 0, 0, 0, 3000, 0, 4, 250},
};

VDI__DEF int vdi_flds_recipe_count(void) { return (int)VDI__COUNT(vdi__flds_rows); }

VDI__DEF int vdi_flds_recipe_find(const char *name) {
    for (int i = 0; i < vdi_flds_recipe_count(); i++) {
        if (strcmp(vdi__flds_rows[i].name, name) == 0) return i;
    }
    return -1;
}

VDI__DEF const char *vdi_flds_recipe_name(int kind) {
    return kind >= 0 && kind < vdi_flds_recipe_count() ? vdi__flds_rows[kind].name : NULL;
}

VDI__DEF bool vdi_flds_is_plds(const vdi_vilds_desc *desc) {
    return desc->linear && desc->obs == VDI_VILDS_POISSON && desc->link == VDI_VILDS_EXP &&
           !desc->inputs && !desc->transition_layers;
}

VDI__DEF vdi_vilds_desc vdi_flds_recipe(const vdi_vilds_desc *desc, vdi_flds_kind kind) {
    const vdi__flds_row *row = &vdi__flds_rows[kind];
    vdi_vilds_desc d = VDI__ZERO;
    if (desc) d = *desc;
    vdi_vilds_train *t = &d.train;
    /* a linear read-out is that model itself, whose parameters VB-EM finds: steps on the bound of
     * an encoder would lead away from them */
    const bool found = kind == VDI_FLDS_FROM_PLDS && desc && vdi_flds_is_plds(desc);
    if (row->skip) d.skip = !d.linear;
    if (row->free_start) d.free_start = true;
    if (d.first_scale == 0) d.first_scale = row->first_scale;
    if (d.a0 == 0) d.a0 = row->a0;
    if (t->rate == 0) t->rate = found ? 1e-5 : row->rate;
    if (t->weight_decay == 0) t->weight_decay = row->weight_decay;
    /* a schedule of another length has steps of the encoder alone in proportion */
    if (t->encoder_steps == 0 && (found || t->steps == 0))
        t->encoder_steps = row->encoder_steps;
    else if (t->encoder_steps == 0)
        t->encoder_steps = t->steps * row->encoder_steps / row->steps;
    if (t->steps == 0) t->steps = found ? 1 : row->steps;
    if (t->restarts == 0) t->restarts = row->restarts;
    if (t->restart_steps == 0) t->restart_steps = row->restart_steps;
    if (t->open_from == 0 && t->open_to == 0) {
        t->open_from = row->open_from;
        t->open_to = row->open_to;
    }
    return vdi_vilds_desc_defaults(&d);
}

/* ======== starts ============================================================================== */

VDI__DEF bool vdi_flds_takes_plds(const vdi_vilds_desc *desc) {
    const vdi__obs_ops *obs = vdi__vilds_obs(desc);
    return obs && obs->exposed && !(obs->linked && desc->link != VDI_VILDS_EXP);
}

VDI__DEF vdi_status vdi_flds_from_plds(vdi_vilds *m, const vdi_plds *plds, vdi_error *err) {
    static const char where[] = "vdi_flds_from_plds";
    const int64_t d = m->desc.d, n = m->desc.n;
    if (plds->desc.d != d || plds->desc.n != n) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "the Poisson LDS has d %lld, n %lld; the model d %lld, n %lld",
                             (long long)plds->desc.d, (long long)plds->desc.n, (long long)d,
                             (long long)n);
    }
    if (!vdi_flds_takes_plds(&m->desc) || (m->desc.layers && m->at.skip < 0)) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "expected counts with exp link, and a linear decoder or a skip");
    }
    vdi_status status = vdi_vilds_set_covariance(m, "prior.Q", plds->Q, err);
    if (status >= 0) status = vdi_vilds_set_covariance(m, "prior.Q0", plds->Q0, err);
    if (status < 0) return status;
    vdi_param *p = m->params->item, *last = &p[m->at.decoder + 2 * m->desc.layers];
    vdi_param *C = m->desc.layers ? &p[m->at.skip] : last;
    for (int64_t i = 0; i < d * d; i++)
        vdi__vilds_put(&p[m->at.prior.A], i, plds->A[i]);
    for (int64_t i = 0; i < d; i++)
        vdi__vilds_put(&p[m->at.prior.x0], i, plds->x0[i]);
    if (m->desc.layers) vdi_tensor_fill(last->value, 0);
    for (int64_t j = 0; j < n; j++) {
        vdi__vilds_put(last + 1, j, plds->b[j]);
        for (int64_t i = 0; i < d; i++)
            vdi__vilds_put(C, i * n + j, plds->C[j * d + i]);
    }
    vdi_vilds_resume_from_here(m);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_flds_fit_encoder(vdi_vilds *m, vdi_vilds_data *data, int64_t steps,
                                         vdi_error *err) {
    const vdi_vilds_train kept = m->desc.train;
    vdi_param *p = m->params->item;
    const int64_t count = m->params->count;
    bool *frozen = (bool *)vdi_alloc(&m->desc.allocator, (size_t)count);
    if (!frozen) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_flds_fit_encoder", "no memory");
    for (int64_t i = 0; i < count; i++) {
        frozen[i] = p[i].frozen;
        p[i].frozen = frozen[i] || strncmp(p[i].name, "encoder", 7) != 0;
    }
    m->desc.train.restarts = 1;
    m->desc.train.steps = steps > 0 ? steps : 400;
    m->desc.train.encoder_steps = 0;
    m->desc.train.rate = VDI__VILDS_ENCODER_RATE;
    m->desc.train.last_rate = 0.1 * VDI__VILDS_ENCODER_RATE;
    vdi_vilds_resume_from_here(m);
    const vdi_status status = vdi_vilds_fit(m, data, NULL, NULL, NULL, err);
    for (int64_t i = 0; i < count; i++)
        p[i].frozen = frozen[i];
    m->desc.train = kept;
    vdi_vilds_resume_from_here(m);
    vdi_free(&m->desc.allocator, frozen, (size_t)count);
    return status;
}

/* ======== scores ============================================================================== */

/* Bits per spike and mean squared error from predictions (rows,n) and the constant model. */
VDI__FN vdi_status vdi__flds_compare(const vdi_vilds_data *data, const double *log_prob,
                                     const double *mean, const double *constant, double *bits,
                                     double *mse, vdi_error *err) {
    const int64_t n = data->n;
    double gain = 0, spikes = 0, squares = 0, values = 0;
    for (int64_t i = 0; i < data->trials * data->T * n; i++) {
        if (!vdi__vilds_seen(data, i / n, i % n)) continue;
        const double y = vdi_dtype_load(data->dtype, data->y, i);
        gain += log_prob[i] - constant[i];
        spikes += y;
        values += 1;
        squares += (y - mean[i]) * (y - mean[i]);
    }
    if (!(spikes > 0)) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_flds_score",
                             "there is no spike: bits per spike is undefined");
    }
    *bits = gain / (spikes * log(2.0));
    *mse = squares / values;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_flds_score(vdi_vilds *m, vdi_vilds_data *data, const vdi_vilds_query *q,
                                   vdi_flds_scores *out, vdi_error *err) {
    static const char where[] = "vdi_flds_score";
    const size_t cells = (size_t)(data->trials * data->T * data->n);
    const size_t bytes = vdi_mul_size(3 * sizeof(double), cells);
    if (m->desc.log_joint || !vdi_vilds_obs_counts((int)m->desc.obs)) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "bits per spike need observations that are counts");
    }
    double *log_prob = (double *)vdi_alloc(&m->desc.allocator, bytes);
    if (!log_prob) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    double *mean = log_prob + cells, *constant = mean + cells;
    vdi_status status = vdi_vilds_constant(m, data, constant, err);
    if (status >= 0)
        status = vdi_vilds_predict(m, data, VDI_VILDS_LEAVE_ONE_OUT, q, log_prob, mean, err);
    if (status >= 0) {
        status =
            vdi__flds_compare(data, log_prob, mean, constant, &out->lno_bits, &out->lno_mse, err);
    }
    if (status >= 0)
        status = vdi_vilds_predict(m, data, VDI_VILDS_ONE_STEP, q, log_prob, mean, err);
    if (status >= 0) {
        status = vdi__flds_compare(data, log_prob, mean, constant, &out->one_step_bits,
                                   &out->one_step_mse, err);
    }
    vdi_free(&m->desc.allocator, log_prob, bytes);
    return status;
}
#endif
