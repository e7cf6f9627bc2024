/* model/deepspike/description.h - what describes a network: fields, defaults, checks, metadata
 *
 * Declared in deepspike.h.
 */
#ifndef VDI_MODEL_DEEPSPIKE_DESCRIPTION_H
#define VDI_MODEL_DEEPSPIKE_DESCRIPTION_H
#include "deepspike.h"

#endif

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_DESCRIPTION_C)
#define VDI_MODEL_DEEPSPIKE_DESCRIPTION_C

/* ======== fields ============================================================================== */

static const char *const vdi__ds_families_words[] = {"factorised", "correlated", NULL};
static const char *const vdi__ds_priors_words[] = {"bernoulli", "count", NULL};
static const char *const vdi__ds_dtypes_words[] = {"float32", "float64", NULL};
static const char *const vdi__ds_schedules_words[] = {"constant", "cosine", "exponential",
                                                      "step",     "linear", NULL};
static const char *const vdi__ds_estimators_words[] = {
#define VDI__DS_WORD(upper, lower) #lower,
    VDI_DEEPSPIKE_ESTIMATOR_LIST(VDI__DS_WORD)
#undef VDI__DS_WORD
        NULL};
#define VDI__DS_INT(member, initial, least, most, help) \
    VDI_FIELD_INT(vdi_deepspike_desc, member, initial, least, most, help)
#define VDI__DS_REAL(member, initial, least, most, help) \
    VDI_FIELD_REAL(vdi_deepspike_desc, member, initial, least, most, help)
static const vdi_field vdi__ds_rows[] = {
    VDI_FIELD_ENUM(vdi_deepspike_desc, posterior, vdi__ds_families_words,
                   "family of the posterior"),
    VDI_FIELD_SIZES(vdi_deepspike_desc, channels, layers, VDI_FIELD_NONE, VDI_DEEPSPIKE_LAYERS, 0,
                    0, 1, 4096, "channels of the convolutions"),
    VDI_FIELD_SIZES(vdi_deepspike_desc, width, layers, VDI_FIELD_NONE, VDI_DEEPSPIKE_LAYERS, 0, 0,
                    1, 4096, "their widths in frames, odd"),
    VDI__DS_INT(head_width, 11, 1, 4096, "width of the last convolution, odd"),
    VDI__DS_INT(features, 13, 1, 4096, "correlated: outputs of the last convolution"),
    VDI__DS_INT(hidden, 64, 1, 4096, "correlated: units of each recurrent layer"),
    VDI_FIELD_REAL_TWIN(vdi_deepspike_desc, bias, has_bias, 0, -50, 50, VDI_FIELD_COMPUTED,
                        "of the log odds at the start"),
    VDI__DS_REAL(floor, 1e-3, 1e-12, 0.49, "probabilities are held so far from 0 and 1"),
    VDI__DS_INT(upsample, 1, 1, 64, "bins in a frame"),
    VDI_FIELD_BOOL(vdi_deepspike_desc, amplitude, "infer the amplitude from each snippet"),
    VDI__DS_REAL(amplitude_spread, 0.3, 1e-6, 1e3, "its standard deviation, raw"),
    VDI_FIELD_ENUM(vdi_deepspike_desc, prior, vdi__ds_priors_words, "prior over trains"),
    VDI__DS_REAL(prior_rate[0], 0.015, 1e-9, 0.999, "spikes in a bin"),
    VDI__DS_REAL(prior_rate[1], 0.015, 1e-9, 0.999, "of the second stream"),
    VDI_FIELD_BOOL(vdi_deepspike_desc, normalise,
                   "bring each cell's traces to noise 0.1 and lower quartile 0"),
    VDI_FIELD_ENUM(vdi_deepspike_desc, dtype, vdi__ds_dtypes_words, "of the network"),
    VDI_FIELD_INT32(vdi_deepspike_desc, generative.streams, 1, 1, VDI_DEEPSPIKE_STREAMS,
                    "of spikes and of fluorescence"),
    VDI_FIELD_ENUM(vdi_deepspike_desc, train.estimator, vdi__ds_estimators_words,
                   "how the gradient is estimated"),
    VDI__DS_INT(train.steps, 5000, 1, 274877906944.0, "steps of the schedule"),
    VDI__DS_INT(train.batch, 20, 1, 32768, "snippets of one cell in a step"),
    VDI__DS_INT(train.samples, 64, 1, 1048576, "trains drawn of each"),
    VDI__DS_INT(train.snippet, 300, 1, 16777216, "frames of a snippet"),
    VDI_FIELD_INT_FLAGS(vdi_deepspike_desc, train.buffer_first, 0, 0, 16777215, VDI_FIELD_COMPUTED,
                        "frames at its beginning that do not count"),
    VDI_FIELD_INT_FLAGS(vdi_deepspike_desc, train.buffer_last, 0, 0, 16777215, VDI_FIELD_COMPUTED,
                        "frames at its end that do not count"),
    VDI__DS_REAL(train.rate, 1e-3, 1e-12, 10, "learning rate of the network"),
    VDI__DS_REAL(train.theta_factor, 30, 0, 1e12, "rate of theta over that of the network"),
    VDI__DS_REAL(train.clip_norm, 0.02, -1e9, 1e9,
                 "longest gradient of the network; negative: any"),
    VDI_FIELD_ENUM(vdi_deepspike_desc, train.schedule.kind, vdi__ds_schedules_words,
                   "rule of the rates"),
    VDI__DS_INT(train.schedule.warmup, 0, 0, 274877906944.0, "steps of a linear rise"),
    VDI__DS_INT(train.schedule.steps, 0, 0, 274877906944.0, "length of cosine and linear"),
    VDI__DS_INT(train.schedule.every, 0, 0, 274877906944.0, "steps to the next factor"),
    VDI__DS_REAL(train.schedule.factor, 0, 0, 1e6, "that factor"),
    VDI__DS_REAL(train.schedule.last, 0, 0, 1e6, "the last factor of cosine and linear"),
    VDI_FIELD_INT_FLAGS(vdi_deepspike_desc, train.dreams, 0, 1, 98304, VDI_FIELD_COMPUTED,
                        "wake-sleep: simulated snippets in a step"),
    VDI__DS_REAL(train.temperature, 0.5, 1e-3, 100, "concrete: of the relaxation"),
    VDI__DS_REAL(train.baseline_memory, 0.9, 0, 1, "REINFORCE with one sample: of the mean"),
    VDI_FIELD_SEED(vdi_deepspike_desc, train.seed, "of everything random"),
};
#undef VDI__DS_INT
#undef VDI__DS_REAL

VDI__DEF const vdi_fields *vdi_deepspike_desc_fields(void) {
    static const vdi_fields table = {"vdi_deepspike_desc", vdi__ds_rows,
                                     (int)VDI__COUNT(vdi__ds_rows)};
    return &table;
}

/* ======== defaults ============================================================================ */

/* What depends on other fields. */
VDI__FN void vdi__ds_compute(vdi_deepspike_desc *d) {
    static const int64_t channels[2][5] = {{30, 25, 25, 20, 15}, {20, 15, 15, 15, 0}};
    static const int64_t width[2][5] = {{31, 21, 21, 13, 11}, {31, 21, 21, 11, 0}};
    vdi_deepspike_train *t = &d->train;
    const int correlated = d->posterior == VDI_DEEPSPIKE_CORRELATED;
    if (d->layers == 0) {
        d->layers = correlated ? 4 : 5;
        for (int i = 0; i < d->layers; i++) {
            d->channels[i] = channels[correlated][i];
            d->width[i] = width[correlated][i];
        }
    }
    if (!d->has_bias) {
        d->bias = correlated ? -5 : -3;
        d->has_bias = true;
    }
    if (!t->has_buffer) {
        t->buffer_first = t->snippet / 3;
        t->buffer_last = t->snippet / 6;
        t->has_buffer = true;
    }
    if (t->schedule.kind == VDI_SCHEDULE_CONSTANT && t->schedule.every == 0 &&
        t->schedule.factor == 0 && t->schedule.warmup == 0) {
        t->schedule.kind = VDI_SCHEDULE_STEP;
        t->schedule.every = 200;
        t->schedule.factor = 0.995;
    }
    if (t->dreams == 0) t->dreams = 3 * VDI__MIN(VDI__MAX(t->batch, (int64_t)1), (int64_t)32768);
}

VDI__DEF vdi_deepspike_desc vdi_deepspike_desc_defaults(const vdi_deepspike_desc *desc) {
    vdi_deepspike_desc d = VDI__ZERO;
    if (desc) d = *desc;
    vdi_fields_fill(vdi_deepspike_desc_fields(), &d);
    vdi__ds_compute(&d);
    return d;
}

/* ======== checks ============================================================================== */

/* What a table of ranges cannot say of the numbers. */
VDI__FN vdi_status vdi__ds_check_sizes(const vdi_deepspike_desc *d, vdi_error *err) {
    static const char where[] = "vdi_deepspike_desc";
    const vdi_deepspike_train *t = &d->train;
    if (d->layers < 1) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "layers is %d, expected 1 to %d",
                             (int)d->layers, VDI_DEEPSPIKE_LAYERS);
    }
    for (int i = 0; i < d->layers; i++) {
        if (d->width[i] % 2 == 0) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "width of layer %d is %lld, expected an odd one", i,
                                 (long long)d->width[i]);
        }
    }
    if (d->head_width % 2 == 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "head_width is %lld, expected an odd one", (long long)d->head_width);
    }
    if (t->buffer_first + t->buffer_last >= t->snippet) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "train.buffer_first is %lld and train.buffer_last %lld: expected less "
                             "than the snippet's %lld frames together",
                             (long long)t->buffer_first, (long long)t->buffer_last,
                             (long long)t->snippet);
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__ds_check_ranks(const vdi_deepspike_desc *d, vdi_error *err) {
    const bool dreams = d->train.estimator == VDI_DEEPSPIKE_WAKE_SLEEP;
    const int64_t most = dreams ? VDI__MIN(d->train.batch, d->train.dreams) : d->train.batch;
    const vdi_status status = vdi_ranks_check(&d->ranks, err);
    if (status < 0 || d->ranks.count <= most) return status;
    return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_deepspike_desc",
                         "ranks.count is %d: expected at most train.batch%s, %lld",
                         (int)d->ranks.count, dreams ? " and train.dreams" : "", (long long)most);
}

VDI__FN vdi_status vdi__ds_check_parts(const vdi_deepspike_desc *d, vdi_error *err);

VDI__DEF vdi_status vdi_deepspike_desc_check(const vdi_deepspike_desc *desc, vdi_error *err) {
    const vdi_deepspike_desc d = vdi_deepspike_desc_defaults(desc);
    if (!vdi_dtype_is_real(d.dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, "vdi_deepspike_desc",
                             "dtype is %s, expected float32 or float64", vdi_dtype_name(d.dtype));
    }
    vdi_status status = vdi_fields_check(vdi_deepspike_desc_fields(), &d, err);
    if (status >= 0) status = vdi__ds_check_sizes(&d, err);
    if (status >= 0) status = vdi__ds_check_ranks(&d, err);
    return status < 0 ? status : vdi__ds_check_parts(&d, err);
}

/* ======== metadata ============================================================================ */

/* How many numbers a list like "60,60" has. */
VDI__FN int vdi__ds_list_length(const char *text) {
    int n = 1;
    for (; *text; text++) {
        n += *text == ',';
    }
    return n;
}

VDI__DEF vdi_status vdi_deepspike_desc_from_meta(const vdi_meta *meta, int64_t count,
                                                 vdi_deepspike_desc *out, vdi_error *err) {
    static const char where[] = "vdi_deepspike_desc_from_meta";
    vdi_deepspike_desc d = VDI__ZERO;
    const char *model = vdi_meta_find(meta, count, "model");
    const char *channels = vdi_meta_find(meta, count, "channels");
    const char *width = vdi_meta_find(meta, count, "width");
    if (!model || strcmp(model, "deepspike") != 0) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "expected the metadata of a deepspike network, got %s",
                             model ? model : "none of a model");
    }
    const vdi_status status = vdi_fields_read(vdi_deepspike_desc_fields(), &d, meta, count, err);
    if (status < 0) return status;
    if (vdi__ds_list_length(channels) != vdi__ds_list_length(width)) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "channels are %s and widths %s: expected one of each for a layer",
                             channels, width);
    }
    d.train.has_buffer = true;
    *out = d;
    return VDI_OK;
}

/* ======== the models of calcium.h ============================================================= */

VDI__FN vdi_var vdi__ds_calcium(vdi_tape *t, vdi_var spikes, vdi_var f, vdi_var mask, vdi_var theta,
                                const vdi_calcium_info *info, void *user) {
    vdi_calcium_desc d = *(const vdi_calcium_desc *)user;
    vdi_var log_p = vdi_var_none();
    d.time_major = info->time_major;
    (void)vdi_var_calcium(t, &d, spikes, theta, f, mask, NULL, &log_p);
    return log_p;
}
VDI__FN vdi_status vdi__ds_calcium_sample(const double *theta, vdi_dtype dtype, int64_t T,
                                          const void *spikes, vdi_rng *rng, void *clean, void *f,
                                          void *user, vdi_error *err) {
    const vdi_calcium_desc *d = (const vdi_calcium_desc *)user;
    int count = 0;
    const vdi_calcium_param *p = vdi_calcium_params(d->model, &count);
    const double sigma = vdi_calcium_natural(p[count - 1].map, theta[count - 1]);
    return vdi_calcium_sample(d, theta, dtype, T, spikes, d->drift > 0 ? sigma / sqrt(d->drift) : 0,
                              rng, clean, f, err);
}
VDI__DEF vdi_deepspike_generative vdi_deepspike_calcium(const vdi_calcium_desc *calcium) {
    vdi_deepspike_generative g = VDI__ZERO;
    int count = 0;
    const vdi_calcium_param *p = vdi_calcium_params(calcium->model, &count);
    if (!p) return g;
    g.calcium = *calcium;
    g.theta_count = count;
    g.streams = vdi_calcium_streams(calcium->model);
    for (int i = 0; i < count; i++) {
        g.theta_name[i] = p[i].name;
        if (strcmp(p[i].name, "alpha") == 0) g.amplitude = i;
    }
    vdi_calcium_initial(calcium, g.theta_init);
    g.log_likelihood = vdi__ds_calcium;
    g.sample = vdi__ds_calcium_sample;
    return g;
}
#endif
