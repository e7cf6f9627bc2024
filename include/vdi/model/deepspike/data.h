/* model/deepspike/data.h - traces for a network: taken in, bridged, normalised
 *
 * Declared in deepspike.h.
 */
#ifndef VDI_MODEL_DEEPSPIKE_DATA_H
#define VDI_MODEL_DEEPSPIKE_DATA_H
#include "deepspike.h"

#endif

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_DATA_C)
#define VDI_MODEL_DEEPSPIKE_DATA_C

VDI__DEF void vdi_deepspike_data_destroy(vdi_deepspike_data *data) {
    if (!data) return;
    const vdi_allocator a = data->allocator;
    vdi_free(&a, data->block, data->bytes);
    vdi_free(&a, data, sizeof *data);
}
VDI__DEF int64_t vdi_deepspike_data_traces(const vdi_deepspike_data *data) { return data->traces; }
VDI__DEF int64_t vdi_deepspike_data_frames(const vdi_deepspike_data *data) { return data->frames; }
VDI__DEF int64_t vdi_deepspike_data_cells(const vdi_deepspike_data *data) { return data->cells; }
VDI__DEF double *vdi_deepspike_data_theta(vdi_deepspike_data *data, int64_t cell) {
    return data->theta + cell * data->theta_count;
}
VDI__DEF void vdi_deepspike_data_scale(const vdi_deepspike_data *data, int64_t cell, int signal,
                                       double *shift, double *scale) {
    *shift = data->scale[(cell * data->signals + signal) * 2];
    *scale = data->scale[(cell * data->signals + signal) * 2 + 1];
}

/* ======== shapes ============================================================================== */

/* A leading axis of one. */
VDI__FN vdi_tensor vdi__ds_lead(vdi_tensor x) {
    for (int i = x.ndim; i > 0; i--) {
        x.shape[i] = x.shape[i - 1];
        x.stride[i] = x.stride[i - 1];
    }
    x.shape[0] = 1;
    x.stride[0] = 0;
    x.ndim++;
    return x;
}
/* An axis of one behind the first: (N,bins) to (N,1,bins). */
VDI__FN vdi_tensor vdi__ds_stream_axis(vdi_tensor x) {
    x.shape[2] = x.shape[1];
    x.stride[2] = x.stride[1];
    x.shape[1] = 1;
    x.stride[1] = 0;
    x.ndim = 3;
    return x;
}

/* The tensors of the description with all their axes. */
typedef struct vdi__ds_given {
    const vdi_deepspike_data_desc *desc;
    vdi_tensor traces, mask, spikes; /* (N,T) or (N,2,T); (N,T); (N,streams,bins) */
    bool masked, labelled;
} vdi__ds_given;

VDI__FN vdi_status vdi__ds_given_traces(const vdi_deepspike *m, vdi__ds_given *g,
                                        vdi_deepspike_data *shape, vdi_error *err) {
    static const char where[] = "vdi_deepspike_data_create";
    const int signals = m->desc.generative.streams, axes = signals > 1 ? 3 : 2;
    char text[VDI_SHAPE_TEXT];
    if (!vdi_tensor_ok(g->traces) || !g->traces.data)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "traces are missing");
    if (g->traces.ndim == axes - 1) g->traces = vdi__ds_lead(g->traces);
    const vdi_tensor y = g->traces;
    if (y.ndim != axes || (signals > 1 && y.shape[1] != signals) || y.shape[0] < 1 ||
        y.shape[axes - 1] < 1) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "traces are %s, expected %s",
                             vdi_tensor_shape_text(g->desc->traces, text),
                             signals > 1 ? "(N,2,T)" : "(N,T) or (T)");
    }
    shape->traces = y.shape[0];
    shape->frames = y.shape[axes - 1];
    shape->theta_count = m->desc.generative.theta_count;
    shape->streams = shape->signals = signals;
    shape->dtype = m->desc.dtype;
    if (shape->frames > INT64_MAX / 64 / shape->traces) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "traces are %s: too many frames",
                             vdi_tensor_shape_text(g->desc->traces, text));
    }
    shape->bins = shape->frames * m->desc.upsample;
    return VDI_OK;
}

VDI__FN vdi_status vdi__ds_given_cells(const vdi__ds_given *g, vdi_deepspike_data *shape,
                                       vdi_error *err) {
    static const char where[] = "vdi_deepspike_data_create";
    for (int64_t i = 0; i < shape->traces; i++) {
        const int64_t cell = g->desc->cell ? g->desc->cell[i] : i;
        const int64_t n = g->desc->lengths ? g->desc->lengths[i] : shape->frames;
        if (cell < 0 || cell >= shape->traces) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "cell of trace %lld is %lld, expected 0 to %lld", (long long)i,
                                 (long long)cell, (long long)(shape->traces - 1));
        }
        if (n < 1 || n > shape->frames) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "length of trace %lld is %lld, expected 1 to %lld", (long long)i,
                                 (long long)n, (long long)shape->frames);
        }
        shape->cells = VDI__MAX(shape->cells, cell + 1);
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__ds_given_rest(vdi__ds_given *g, const vdi_deepspike_data *shape,
                                      vdi_error *err) {
    static const char where[] = "vdi_deepspike_data_create";
    char text[VDI_SHAPE_TEXT];
    const int64_t N = shape->traces;
    g->masked = g->mask.data != NULL;
    g->labelled = g->spikes.data && vdi_tensor_ok(g->spikes);
    if (g->masked && g->mask.ndim == 1 && N == 1) g->mask = vdi__ds_lead(g->mask);
    if (g->masked &&
        (g->mask.ndim != 2 || g->mask.shape[0] != N || g->mask.shape[1] != shape->frames)) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where, "the mask is %s, expected (%lld,%lld)",
                             vdi_tensor_shape_text(g->desc->mask, text), (long long)N,
                             (long long)shape->frames);
    }
    if (g->labelled && g->spikes.ndim == 1 && N == 1) g->spikes = vdi__ds_lead(g->spikes);
    if (g->labelled && g->spikes.ndim == 2) g->spikes = vdi__ds_stream_axis(g->spikes);
    if (g->labelled &&
        (g->spikes.ndim != 3 || g->spikes.shape[0] != N || g->spikes.shape[1] != shape->streams ||
         g->spikes.shape[2] != shape->bins)) {
        return vdi_error_set(err, VDI_ERR_SHAPE, where,
                             "spikes are %s, expected %lld traces of %d streams of %lld bins",
                             vdi_tensor_shape_text(g->desc->spikes, text), (long long)N,
                             shape->streams, (long long)shape->bins);
    }
    return VDI_OK;
}

/* ======== memory ============================================================================== */

/* Cut one block for everything; false if there is no memory. */
VDI__FN bool vdi__ds_data_reserve(vdi_deepspike_data *d, bool labelled) {
    const size_t N = (size_t)d->traces, T = (size_t)d->frames, C = (size_t)d->cells;
    const size_t signals = (size_t)d->signals, P = (size_t)d->theta_count;
    const size_t frames = vdi_mul_size(N, T);
    const size_t labels = vdi_mul_size(vdi_mul_size(N, (size_t)d->streams), (size_t)d->bins);
    const size_t part[] = {vdi_mul_size(N, sizeof(int64_t)),
                           vdi_mul_size(N, sizeof(int64_t)),
                           vdi_mul_size(vdi_mul_size(frames, signals), vdi_dtype_size(d->dtype)),
                           frames,
                           labelled ? labels : 0,
                           vdi_mul_size(vdi_mul_size(C, P), sizeof(double)),
                           vdi_mul_size(vdi_mul_size(C, P), sizeof(double)),
                           vdi_mul_size(2 * C, sizeof(double)),
                           vdi_mul_size(2 * C * signals, sizeof(double))};
    void *at[VDI__COUNT(part)];
    size_t bytes = 0;
    for (size_t i = 0; i < VDI__COUNT(part); i++) {
        if (part[i] > SIZE_MAX / 16) return false;
        bytes += vdi_align_size(part[i]);
    }
    char *block = (char *)vdi_alloc(&d->allocator, bytes);
    if (!block) return false;
    memset(block, 0, bytes);
    d->block = block;
    d->bytes = bytes;
    for (size_t i = 0; i < VDI__COUNT(part); i++) {
        at[i] = block;
        block += vdi_align_size(part[i]);
    }
    d->length = (int64_t *)at[0];
    d->cell = (int64_t *)at[1];
    d->x = at[2];
    d->seen = (unsigned char *)at[3];
    d->label = labelled ? (unsigned char *)at[4] : NULL;
    d->theta = (double *)at[5];
    d->theta_v = (double *)at[6];
    d->baseline = (double *)at[7];
    d->scale = (double *)at[8];
    return true;
}

/* ======== one trace =========================================================================== */

/* raw (T,signals) of trace i, and which frames are numbers. Returns how many. */
VDI__FN int64_t vdi__ds_take(vdi_deepspike_data *d, const vdi__ds_given *g, int64_t i,
                             double *raw) {
    int64_t seen = 0;
    for (int64_t t = 0; t < d->frames; t++) {
        bool all = t < d->length[i];
        for (int k = 0; k < d->signals; k++) {
            int64_t index[3];
            index[0] = i;
            index[1] = d->signals > 1 ? k : t;
            index[2] = t;
            const double f = vdi_tensor_get(g->traces, index);
            raw[t * d->signals + k] = f;
            all = all && f - f == 0;
        }
        d->seen[i * d->frames + t] = all;
        seen += all;
    }
    return seen;
}

/* Bridge what is missing: a straight line between its neighbours, the nearest value at the ends. */
VDI__FN void vdi__ds_bridge(const vdi_deepspike_data *d, int64_t i, double *raw) {
    const unsigned char *seen = d->seen + i * d->frames;
    const int signals = d->signals;
    int64_t last = -1;
    for (int64_t t = 0; t < d->length[i]; t++) {
        if (!seen[t]) continue;
        for (int64_t s = last + 1; s < t; s++) {
            for (int k = 0; k < signals; k++) {
                const double to = raw[t * signals + k];
                const double from = last < 0 ? to : raw[last * signals + k];
                raw[s * signals + k] = from + (to - from) * (double)(s - last) / (double)(t - last);
            }
        }
        last = t;
    }
    for (int64_t s = last + 1; s < d->length[i]; s++) {
        for (int k = 0; k < signals; k++) {
            raw[s * signals + k] = raw[last * signals + k];
        }
    }
}

VDI__FN vdi_status vdi__ds_read_traces(vdi_deepspike_data *d, const vdi__ds_given *g, double *raw,
                                       vdi_error *err) {
    for (int64_t i = 0; i < d->traces; i++) {
        double *own = raw + i * d->frames * d->signals;
        d->length[i] = g->desc->lengths ? g->desc->lengths[i] : d->frames;
        d->cell[i] = g->desc->cell ? g->desc->cell[i] : i;
        if (vdi__ds_take(d, g, i, own) == 0) {
            return vdi_error_set(err, VDI_ERR_DATA, "vdi_deepspike_data_create",
                                 "trace %lld holds no finite number", (long long)i);
        }
        vdi__ds_bridge(d, i, own);
        for (int64_t t = 0; g->masked && t < d->frames; t++) {
            int64_t index[2];
            index[0] = i;
            index[1] = t;
            if (vdi_tensor_get(g->mask, index) == 0) d->seen[i * d->frames + t] = 0;
        }
    }
    return VDI_OK;
}

/* ======== normalised ========================================================================== */

VDI__FN int vdi__ds_compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
VDI__FN double vdi__ds_quantile(double *v, int64_t n, double q) {
    if (n < 1) return 0;
    qsort(v, (size_t)n, sizeof *v, vdi__ds_compare);
    const double at = q * (double)(n - 1), low = floor(at);
    const int64_t i = (int64_t)low, j = VDI__MIN(i + 1, n - 1);
    return v[i] + (at - low) * (v[j] - v[i]);
}

/* Lower quartile to 0, noise (from the differences of neighbours, Gaussian quantile) to 0.1: one
 * shift and scale for all traces of a cell.
 */
VDI__FN void vdi__ds_measure(const vdi_deepspike_data *data, const double *raw, int64_t cell,
                             int signal, double *v, double *shift, double *scale) {
    int64_t n = 0, d = 0;
    for (int64_t i = 0; i < data->traces; i++) {
        for (int64_t t = 0; data->cell[i] == cell && t < data->length[i]; t++) {
            if (data->seen[i * data->frames + t])
                v[n++] = raw[(i * data->frames + t) * data->signals + signal];
        }
    }
    *shift = vdi__ds_quantile(v, n, 0.25);
    const double spread = vdi__ds_quantile(v, n, 0.99) - *shift;
    for (int64_t i = 0; i < data->traces; i++) {
        for (int64_t t = 1; data->cell[i] == cell && t < data->length[i]; t++) {
            if (data->seen[i * data->frames + t] && data->seen[i * data->frames + t - 1]) {
                v[d++] = fabs(raw[(i * data->frames + t) * data->signals + signal] -
                              raw[(i * data->frames + t - 1) * data->signals + signal]);
            }
        }
    }
    const double noise = 1.4826 * vdi__ds_quantile(v, d, 0.5) / sqrt(2.0);
    *scale = noise > 0 ? noise / 0.1 : spread > 0 ? spread : 1;
}

/* Where every cell begins, and what its traces are normalised by. `work`: room for all frames. */
VDI__FN void vdi__ds_begin_cells(const vdi_deepspike *m, vdi_deepspike_data *d, const double *raw,
                                 double *work) {
    for (int64_t c = 0; c < d->cells; c++) {
        memcpy(d->theta + c * d->theta_count, m->desc.generative.theta_init,
               (size_t)d->theta_count * sizeof *d->theta);
        for (int k = 0; k < d->signals; k++) {
            double *s = d->scale + (c * d->signals + k) * 2;
            s[0] = 0;
            s[1] = 1;
            if (m->desc.normalise) vdi__ds_measure(d, raw, c, k, work, &s[0], &s[1]);
        }
    }
}

VDI__FN void vdi__ds_store_traces(vdi_deepspike_data *d, const vdi__ds_given *g,
                                  const double *raw) {
    for (int64_t i = 0; i < d->traces; i++) {
        const int64_t from = i * d->frames * d->signals;
        for (int64_t j = 0; j < d->length[i] * d->signals; j++) {
            const double *s = d->scale + (d->cell[i] * d->signals + j % d->signals) * 2;
            vdi_dtype_store(d->dtype, d->x, from + j, (raw[from + j] - s[0]) / s[1]);
        }
        for (int64_t j = 0; g->labelled && j < d->streams * d->bins; j++) {
            int64_t index[3];
            index[0] = i;
            index[1] = j / d->bins;
            index[2] = j % d->bins;
            d->label[i * d->streams * d->bins + j] = vdi_tensor_get(g->spikes, index) > 0;
        }
    }
}

VDI__DEF vdi_status vdi_deepspike_data_create(const vdi_deepspike *m,
                                              const vdi_deepspike_data_desc *desc,
                                              vdi_deepspike_data **out, vdi_error *err) {
    static const char where[] = "vdi_deepspike_data_create";
    const vdi_allocator *a = &m->desc.allocator;
    vdi_deepspike_data shape = VDI__ZERO;
    vdi__ds_given given = VDI__ZERO;
    *out = NULL;
    given.desc = desc;
    given.traces = desc->traces;
    given.mask = desc->mask;
    given.spikes = desc->spikes;
    vdi_status status = vdi__ds_given_traces(m, &given, &shape, err);
    if (status >= 0) status = vdi__ds_given_cells(&given, &shape, err);
    if (status >= 0) status = vdi__ds_given_rest(&given, &shape, err);
    if (status < 0) return status;
    const size_t values = (size_t)(shape.traces * shape.frames) * (size_t)shape.signals;
    const size_t raw_bytes = vdi_mul_size(values, 2 * sizeof(double));
    vdi_deepspike_data *d = (vdi_deepspike_data *)vdi_alloc(a, sizeof *d);
    if (!d) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory");
    *d = shape;
    d->allocator = *a;
    double *raw = (double *)vdi_alloc(a, raw_bytes);
    if (!raw || !vdi__ds_data_reserve(d, given.labelled)) {
        vdi_free(a, raw, raw_bytes);
        vdi_free(a, d, sizeof *d);
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu values", values);
    }
    status = vdi__ds_read_traces(d, &given, raw, err);
    if (status >= 0) {
        vdi__ds_begin_cells(m, d, raw, raw + values);
        vdi__ds_store_traces(d, &given, raw);
    }
    vdi_free(a, raw, raw_bytes);
    if (status < 0) {
        vdi_deepspike_data_destroy(d);
        return status;
    }
    *out = d;
    return VDI_OK;
}
#endif
