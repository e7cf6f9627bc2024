/* model/vilds/data.h - observations in the form that a model works with; declared in vilds.h
 *
 * Values are kept in the networks' dtype, as they are and standardised; what is missing, or behind
 * a trial's end, is 0 in both.
 */
#ifndef VDI_MODEL_VILDS_DATA_H
#define VDI_MODEL_VILDS_DATA_H
#include "../lds/series.h"
#include "vilds.h"
#endif /* VDI_MODEL_VILDS_DATA_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_DATA_C)
#define VDI_MODEL_VILDS_DATA_C

struct vdi_vilds_data {
    vdi_arena arena; /* all of it, this object too */
    vdi_dtype dtype;
    int64_t trials, T, n, inputs, total;
    int64_t *length;
    void *y, *x;           /* (trials,T,n): values, and standardised ones */
    double *log_factorial; /* (trials,T,n): log y!; NULL: no constant is kept apart */
    double *factorial;     /* (trials,n): its sums over the bins of a trial; NULL likewise */
    void *offset;          /* (trials,T,n): log exposure, bin width included, or NULL: all 0 */
    unsigned char *seen;   /* (trials,T,n), or NULL: all */
    double *u;             /* (trials,T,inputs) */
    double *per_trial;     /* (trials): a score's scratch */
    uint64_t stats;        /* of the model's mean and sd that x was made with; 0: none */
    double *D, *E, *m;     /* (trials,T,d,d), (trials,T,d,d), (trials,T,d): the posterior that
                            vdi_vilds_fit_natural left each trial with; or NULL */
    double *rho;           /* (trials): the length of its next natural-gradient step */
};

VDI__FN vdi_tensor vdi__no_tensor(void) {
    vdi_tensor t = VDI__ZERO;
    t.ndim = -1;
    return t;
}

/* Is channel j of a row (a bin of a trial, counted through) there? */
VDI__FN bool vdi__vilds_seen(const vdi_vilds_data *data, int64_t row, int64_t j) {
    if (data->seen) return data->seen[row * data->n + j] != 0;
    return row % data->T < data->length[row / data->T];
}

VDI__DEF void vdi_vilds_data_destroy(vdi_vilds_data *data) {
    if (!data) return;
    vdi_arena arena = data->arena; /* the object lies in its own arena */
    vdi_arena_free(&arena);
}

VDI__DEF int64_t vdi_vilds_data_trials(const vdi_vilds_data *data) { return data->trials; }
VDI__DEF int64_t vdi_vilds_data_bins(const vdi_vilds_data *data) { return data->T; }
VDI__DEF int64_t vdi_vilds_data_total_bins(const vdi_vilds_data *data) { return data->total; }
VDI__DEF int64_t vdi_vilds_data_length(const vdi_vilds_data *data, int64_t trial) {
    return data->length[trial];
}

/* ---- taking in ------------------------------------------------------------------------------- */

VDI__FN vdi_status vdi__vilds_data_check(const vdi_vilds_desc *model,
                                         const vdi_vilds_data_desc *desc, vdi__series *s,
                                         vdi_error *err) {
    static const char where[] = "vdi_vilds_data_desc";
    char text[VDI_SHAPE_TEXT];
    vdi_status status = vdi__series_of(desc->y, model->n, where, s, err);
    if (status < 0) return status;
    if (desc->has_mask &&
        !vdi_tensor_same_shape(vdi__series_view(desc->y), vdi__series_view(desc->mask))) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "mask is %s, expected the shape of y",
                             vdi_tensor_shape_text(desc->mask, text));
    }
    status = vdi__series_check_columns(s, desc->u, model->inputs, "u", where, err);
    if (status >= 0 && desc->has_offset) {
        status = vdi__series_check_offset(s, desc->offset, where, err);
    }
    if (status < 0) return status;
    return vdi__series_check_lengths(s, desc->lengths, 1, where, err);
}

/* What the observations of a model are: its kind, or NULL under a log joint of the user's own. */
VDI__FN const vdi__obs_ops *vdi__vilds_obs(const vdi_vilds_desc *d) {
    return d->log_joint ? NULL : vdi__obs_of((int)d->obs);
}

/* The sources of one element, and what it comes to. */
typedef struct vdi__vilds_source {
    const vdi__obs_ops *obs;
    vdi_tensor y, mask, offset; /* (trials,T,n); null where there is none */
    const int64_t *length;
} vdi__vilds_source;

VDI__FN bool vdi__vilds_source_seen(const vdi__vilds_source *s, const int64_t at[3], double *y) {
    *y = 0;
    if (at[1] >= s->length[at[0]]) return false;
    const double v = vdi_tensor_get(s->y, at);
    if (v != v || (vdi_tensor_ok(s->mask) && vdi_tensor_get(s->mask, at) == 0)) return false;
    *y = v;
    return true;
}

/* Look at every value: how many are missing inside the trials, and is each one that the
 * observations take? */
VDI__FN vdi_status vdi__vilds_scan(const vdi__vilds_source *s, const vdi_vilds_data *data,
                                   int64_t *missing, vdi_error *err) {
    static const char where[] = "vdi_vilds_data_create";
    const int64_t n = data->n, T = data->T;
    int64_t values = 0;
    *missing = 0;
    for (int64_t i = 0; i < data->trials * T * n; i++) {
        int64_t at[3];
        double y;
        at[0] = i / (T * n);
        at[1] = i / n % T;
        at[2] = i % n;
        if (at[1] >= s->length[at[0]]) continue;
        const bool seen = vdi__vilds_source_seen(s, at, &y);
        const bool good = s->obs ? s->obs->takes(y) : vdi__obs_takes_any(y);
        if (seen && !good) {
            return vdi_error_set(err, VDI_ERR_DATA, where, "y[%lld,%lld,%lld] is %g: expected %s",
                                 (long long)at[0], (long long)at[1], (long long)at[2], y,
                                 s->obs ? s->obs->values : "a finite number");
        }
        values += seen;
        *missing += !seen;
        if (!vdi_tensor_ok(s->offset)) continue;
        const double offset = vdi_tensor_get(s->offset, at);
        if (offset - offset == 0) continue;
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "offset[%lld,%lld,%lld] is %g: expected a finite number",
                             (long long)at[0], (long long)at[1], (long long)at[2], offset);
    }
    if (values == 0 && s->obs) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "y holds no value: %lld trials of %lld bins, all missing",
                             (long long)data->trials, (long long)T);
    }
    return VDI_OK;
}

/* The arrays; which of them are wanted shows in `missing`, `shifted` and the kind. */
VDI__FN bool vdi__vilds_data_reserve(vdi_vilds_data *data, const vdi__series *s,
                                     const vdi__obs_ops *obs, bool missing, bool shifted) {
    vdi_arena *a = &data->arena;
    const size_t values = vdi__series_values(s, s->n);
    const size_t bytes = vdi_mul_size(values, vdi_dtype_size(data->dtype));
    const size_t inputs = vdi__series_values(s, data->inputs);
    const size_t channels = vdi_mul_size((size_t)s->trials, (size_t)s->n);
    const bool apart = obs && obs->apart;
    data->y = vdi_arena_alloc(a, bytes);
    data->x = vdi_arena_alloc(a, bytes);
    if (missing) data->seen = (unsigned char *)vdi_arena_calloc(a, values);
    if (shifted) data->offset = vdi_arena_alloc(a, bytes);
    if (apart) {
        data->log_factorial = (double *)vdi_arena_calloc(a, vdi_mul_size(values, sizeof(double)));
    }
    if (apart) {
        data->factorial = (double *)vdi_arena_calloc(a, vdi_mul_size(channels, sizeof(double)));
    }
    data->u = (double *)vdi_arena_alloc(a, vdi_mul_size(inputs, sizeof(double)));
    data->per_trial = (double *)vdi_arena_alloc(a, vdi_mul_size((size_t)s->trials, sizeof(double)));
    return data->y && data->x && data->u && data->per_trial && (!missing || data->seen) &&
           (!shifted || data->offset) && (!apart || (data->log_factorial && data->factorial));
}

/* Values, exposures and log y! of every element. */
VDI__FN void vdi__vilds_fill(const vdi__vilds_source *s, vdi_vilds_data *data, double log_width) {
    const int64_t n = data->n, T = data->T;
    for (int64_t i = 0; i < data->trials * T * n; i++) {
        int64_t at[3];
        double y;
        at[0] = i / (T * n);
        at[1] = i / n % T;
        at[2] = i % n;
        const bool seen = vdi__vilds_source_seen(s, at, &y);
        vdi_dtype_store(data->dtype, data->y, i, y);
        if (data->seen) data->seen[i] = seen;
        if (data->offset) {
            const bool inside = vdi_tensor_ok(s->offset) && at[1] < s->length[at[0]];
            const double offset = inside ? vdi_tensor_get(s->offset, at) : 0;
            vdi_dtype_store(data->dtype, data->offset, i, offset + log_width);
        }
        if (!data->log_factorial || !seen) continue;
        const double constant = vdi__obs_log_factorial(y);
        data->log_factorial[i] = constant;
        data->factorial[at[0] * n + at[2]] += constant;
    }
}

VDI__FN vdi_status vdi__vilds_read(vdi_vilds_data *data, const vdi_vilds_desc *model,
                                   const vdi_vilds_data_desc *desc, const vdi__series *series,
                                   vdi_error *err) {
    static const char where[] = "vdi_vilds_data_create";
    vdi__vilds_source s;
    int64_t missing = 0;
    s.obs = vdi__vilds_obs(model);
    s.y = vdi__series_view(desc->y);
    s.mask = desc->has_mask ? vdi__series_view(desc->mask) : vdi__no_tensor();
    s.offset = desc->has_offset ? vdi__series_broadcast(series, desc->offset) : vdi__no_tensor();
    data->length = vdi__series_lengths(series, desc->lengths, &data->arena);
    if (!data->length) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    s.length = data->length;
    for (int64_t b = 0; b < data->trials; b++)
        data->total += data->length[b];
    vdi_status status = vdi__vilds_scan(&s, data, &missing, err);
    if (status < 0) return status;
    const double log_width = s.obs && s.obs->exposed ? log(model->bin_width) : 0;
    const bool shifted = desc->has_offset || log_width != 0;
    if (!vdi__vilds_data_reserve(data, series, s.obs, missing > 0, shifted)) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu values",
                             vdi__series_values(series, series->n));
    }
    vdi__vilds_fill(&s, data, log_width);
    if (data->inputs == 0) return VDI_OK;
    vdi_tensor u = vdi_tensor_3d(data->u, VDI_F64, data->trials, data->T, data->inputs);
    status = vdi_tensor_copy(u, vdi__series_view(desc->u), err);
    if (status >= 0 && vdi_tensor_count_nonfinite(u)) {
        return vdi_error_set(err, VDI_ERR_DATA, where, "u holds NaN or infinity");
    }
    return status;
}

/* What a description makes, in an arena of its own. */
VDI__FN vdi_status vdi__vilds_data_make(const vdi_vilds_desc *model,
                                        const vdi_vilds_data_desc *desc, vdi_vilds_data **out,
                                        vdi_error *err) {
    vdi__series s;
    vdi_arena arena;
    *out = NULL;
    vdi_status status = vdi__vilds_data_check(model, desc, &s, err);
    if (status < 0) return status;
    vdi_arena_init(&arena, &model->allocator, 0);
    vdi_vilds_data *data = (vdi_vilds_data *)vdi_arena_calloc(&arena, sizeof *data);
    if (!data) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds_data_create", "no memory");
    data->arena = arena;
    data->dtype = model->dtype;
    data->trials = s.trials;
    data->T = s.T;
    data->n = s.n;
    data->inputs = model->inputs;
    status = vdi__vilds_read(data, model, desc, &s, err);
    if (status < 0)
        vdi_vilds_data_destroy(data);
    else
        *out = data;
    return status;
}
#endif
