/* model/calcium/likelihood.h - log p(f | spikes, theta) of the models of calcium.h: parameters,
 * plain recursions, and the node on the tape
 *
 * Everything that does not depend on which model it is: the table of rows, the maps from raw to
 * natural numbers, the baseline's walk, residuals, and the way of gradients back. It declares
 * nothing; the rows of the models stand before it.
 */
#ifndef VDI_MODEL_CALCIUM_LIKELIHOOD_H
#define VDI_MODEL_CALCIUM_LIKELIHOOD_H
#include "calcium.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && \
    !defined(VDI_MODEL_CALCIUM_LIKELIHOOD_C)
#define VDI_MODEL_CALCIUM_LIKELIHOOD_C

/* ======== the models ========================================================================== */

VDI__FN const vdi__calcium_ops *vdi__calcium_of(vdi_calcium_model model) {
    static const vdi__calcium_ops *const rows[VDI_CALCIUM_MODELS] = {
#define VDI__CALCIUM_ROW(upper, lower) &vdi__calcium_##lower,
        VDI_CALCIUM_LIST(VDI__CALCIUM_ROW)
#undef VDI__CALCIUM_ROW
    };
    return (unsigned)model < VDI_CALCIUM_MODELS ? rows[model] : NULL;
}

VDI__DEF const vdi_calcium_param *vdi_calcium_params(vdi_calcium_model model, int *count) {
    const vdi__calcium_ops *ops = vdi__calcium_of(model);
    if (!ops) return NULL;
    if (count) *count = ops->count;
    return ops->params;
}

VDI__DEF const char *vdi_calcium_name(vdi_calcium_model model) {
    const vdi__calcium_ops *ops = vdi__calcium_of(model);
    return ops ? ops->name : NULL;
}

VDI__DEF bool vdi_calcium_find(const char *name, vdi_calcium_model *model) {
    for (int i = 0; i < VDI_CALCIUM_MODELS; i++) {
        const vdi__calcium_ops *ops = vdi__calcium_of((vdi_calcium_model)i);
        if (strcmp(name, ops->name) == 0 || (ops->alias && strcmp(name, ops->alias) == 0)) {
            *model = (vdi_calcium_model)i;
            return true;
        }
    }
    return false;
}

VDI__DEF int vdi_calcium_streams(vdi_calcium_model model) {
    const vdi__calcium_ops *ops = vdi__calcium_of(model);
    return ops ? ops->streams : 0;
}

/* ======== the description ===================================================================== */

VDI__DEF const vdi_fields *vdi_calcium_desc_fields(void) {
    static const char *const words[] = {
#define VDI__CALCIUM_WORD(upper, lower) #lower,
        VDI_CALCIUM_LIST(VDI__CALCIUM_WORD)
#undef VDI__CALCIUM_WORD
            NULL};
    static const vdi_field rows[] = {
        VDI_FIELD_ENUM(vdi_calcium_desc, model, words, "model of the fluorescence"),
        VDI_FIELD_REAL_FLAGS(vdi_calcium_desc, bin, 1.0 / 60, 0, 3600, VDI_FIELD_ABOVE,
                             "width of a bin, seconds"),
        VDI_FIELD_REAL(vdi_calcium_desc, drift, 0, 0, 1e12,
                       "stiffness of the baseline's walk; 0: a constant baseline"),
        VDI_FIELD_BOOL(vdi_calcium_desc, drift_white,
                       "score what the smoother leaves as white noise"),
    };
    static const vdi_fields table = {"vdi_calcium_desc", rows, (int)VDI__COUNT(rows)};
    return &table;
}

VDI__DEF vdi_calcium_desc vdi_calcium_desc_defaults(void) {
    vdi_calcium_desc d = VDI__ZERO;
    vdi_fields_fill(vdi_calcium_desc_fields(), &d);
    return d;
}

VDI__FN vdi_calcium_desc vdi__calcium_filled(const vdi_calcium_desc *desc) {
    vdi_calcium_desc d = *desc;
    vdi_fields_fill(vdi_calcium_desc_fields(), &d);
    return d;
}

VDI__DEF vdi_status vdi_calcium_desc_check(const vdi_calcium_desc *desc, vdi_error *err) {
    const vdi_calcium_desc d = vdi__calcium_filled(desc);
    return vdi_fields_check(vdi_calcium_desc_fields(), &d, err);
}

/* ======== the parameters ====================================================================== */

VDI__DEF double vdi_calcium_natural(vdi_calcium_map map, double raw) {
    if (map == VDI_CALCIUM_SIGMOID) return 1 / (1 + exp(-raw));
    if (map == VDI_CALCIUM_SOFTPLUS) return raw > 0 ? raw + log1p(exp(-raw)) : log1p(exp(raw));
    return raw;
}

/* the derivative of the map, from its value */
VDI__FN double vdi__calcium_slope(vdi_calcium_map map, double natural) {
    if (map == VDI_CALCIUM_SIGMOID) return natural * (1 - natural);
    if (map == VDI_CALCIUM_SOFTPLUS) return -expm1(-natural);
    return 1;
}

VDI__DEF double vdi_calcium_raw(vdi_calcium_map map, double natural) {
    if (map == VDI_CALCIUM_SIGMOID) {
        const double p = VDI__MIN(VDI__MAX(natural, 1e-12), 1 - 1e-12);
        return log(p / (1 - p));
    }
    if (map == VDI_CALCIUM_SOFTPLUS) {
        const double y = VDI__MAX(natural, 1e-12);
        return y + log(-expm1(-y));
    }
    return natural;
}

/* A factor per bin of 1/60 s as one per bin of this description: the time constant stays. */
VDI__FN double vdi__calcium_rebin(const vdi_calcium_desc *desc, const vdi_calcium_param *p,
                                  double raw) {
    const double factor = 60 * vdi__calcium_filled(desc).bin;
    if (!p->per_bin || factor == 1) return raw;
    return vdi_calcium_raw(p->map, pow(vdi_calcium_natural(p->map, raw), factor));
}

VDI__DEF void vdi_calcium_initial(const vdi_calcium_desc *desc, double *raw) {
    int count = 0;
    const vdi_calcium_param *p = vdi_calcium_params(desc->model, &count);
    for (int i = 0; i < count; i++) {
        raw[i] = vdi__calcium_rebin(desc, &p[i], p[i].initial);
    }
}

VDI__DEF void vdi_calcium_draw(const vdi_calcium_desc *desc, vdi_rng *rng, double *raw) {
    int count = 0;
    const vdi_calcium_param *p = vdi_calcium_params(desc->model, &count);
    for (int i = 0; i < count; i++) {
        const double u = vdi_rng_uniform(rng);
        if (!strncmp(p[i].name, "sigma", 5)) {
            const double low = vdi_calcium_natural(p[i].map, p[i].low);
            const double high = vdi_calcium_natural(p[i].map, p[i].high);
            raw[i] = vdi_calcium_raw(p[i].map, low + u * (high - low));
        } else {
            raw[i] = vdi__calcium_rebin(desc, &p[i], p[i].low + u * (p[i].high - p[i].low));
        }
    }
}

/* ======== one cell, plainly =================================================================== */

VDI__DEF vdi_status vdi_calcium_sample(const vdi_calcium_desc *desc, const double *raw,
                                       vdi_dtype dtype, int64_t T, const void *spikes, double walk,
                                       vdi_rng *rng, void *clean, void *f, vdi_error *err) {
    static const char where[] = "vdi_calcium_sample";
    double q[VDI_CALCIUM_PARAMS], state[VDI__CALCIUM_STATES] = {0};
    double base[VDI__CALCIUM_STREAMS] = {0};
    const vdi_calcium_desc d = vdi__calcium_filled(desc);
    const vdi_status status = vdi_fields_check(vdi_calcium_desc_fields(), &d, err);
    if (status < 0) return status;
    if (!vdi_dtype_is_real(dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where, "dtype is %s, expected float32 or float64",
                             vdi_dtype_name(dtype));
    }
    if (f && !rng)
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "f needs a generator for its noise");
    const vdi__calcium_ops *ops = vdi__calcium_of(d.model);
    for (int i = 0; i < ops->count; i++) {
        q[i] = vdi_calcium_natural(ops->params[i].map, raw[i]);
        if (!vdi__is_finite(q[i]))
            return vdi_error_set(err, VDI_ERR_DATA, where, "%s is %g", ops->params[i].name, raw[i]);
    }
    for (int64_t t = 0; t < T; t++) {
        double s[VDI__CALCIUM_STREAMS] = {0}, y[VDI__CALCIUM_STREAMS] = {0};
        for (int k = 0; k < ops->streams; k++) {
            s[k] = vdi_dtype_load(dtype, spikes, k * T + t);
        }
        ops->step(q, d.bin, s, state, y);
        for (int k = 0; k < ops->streams; k++) {
            const double beta = q[ops->readout[k].beta], sigma = q[ops->readout[k].sigma];
            if (clean) vdi_dtype_store(dtype, clean, k * T + t, y[k] + beta);
            if (!f) continue;
            if (t) base[k] += walk * vdi_rng_normal(rng);
            vdi_dtype_store(dtype, f, k * T + t,
                            y[k] + beta + base[k] + sigma * vdi_rng_normal(rng));
        }
    }
    return VDI_OK;
}

/* ======== rows ================================================================================ */

/* to (cols,rows) = from (rows,cols) transposed, or added to what is there */
VDI__FN void vdi__calcium_transpose(vdi_dtype dtype, int64_t rows, int64_t cols, const void *from,
                                    void *to, bool add) {
    enum { TILE = 16 };
    VDI__BOTH(dtype, {
        const real *x = (const real *)from;
        real *y = (real *)to;
        for (int64_t i0 = 0; i0 < rows; i0 += TILE) {
            for (int64_t j0 = 0; j0 < cols; j0 += TILE) {
                const int64_t i1 = VDI__MIN(i0 + TILE, rows), j1 = VDI__MIN(j0 + TILE, cols);
                if (add) {
                    for (int64_t j = j0; j < j1; j++) {
                        for (int64_t i = i0; i < i1; i++)
                            y[j * rows + i] += x[i * cols + j];
                    }
                } else {
                    for (int64_t j = j0; j < j1; j++) {
                        for (int64_t i = i0; i < i1; i++)
                            y[j * rows + i] = x[i * cols + j];
                    }
                }
            }
        }
    });
}

/* (B) -> (S,B): a row of the batch for every sample */
VDI__FN void vdi__calcium_tile(const vdi__calcium_note *u, const void *from, void *to) {
    const size_t part = (size_t)u->B * vdi_dtype_size(u->dtype);
    for (int64_t s = 0; s < u->S; s++) {
        memcpy((char *)to + (size_t)s * part, from, part);
    }
}

VDI__FN void vdi__calcium_model_row(const vdi__calcium_note *u, const vdi__calcium_readout *r,
                                    int64_t t, char *y) {
    memcpy(y, vdi__calcium_parameter(u, r->beta), u->row);
    for (int i = 0; i < r->terms; i++) {
        vdi__calcium_muladd(u, vdi__calcium_parameter(u, r->amplitude[i]),
                            vdi__calcium_row(u, u->state[r->state[i]], t), y);
    }
}

/* ======== residuals, the baseline's walk, log p =============================================== */

/* Memory of one call, forward or backward. */
typedef struct vdi__calcium_scratch {
    char *seen, *f;       /* (T,B) each: 1 where a frame counts, and its value */
    char *down, *inverse; /* (T,B) each: the factors of M = W + lambda D'D per row of the batch,
                             lambda / pivot and 1 / pivot */
    double *shift;        /* (B): what the walk adds to log p */
    char *whole;          /* (T,n) */
    char *one, *two;      /* (n) each */
} vdi__calcium_scratch;

VDI__FN size_t vdi__calcium_scratch_bytes(const vdi__calcium_note *u) {
    const size_t batch = vdi_align_size((size_t)(u->T * u->B) * sizeof(double));
    const size_t whole = vdi_align_size((size_t)u->T * u->row);
    const size_t rows = vdi_align_size((size_t)(u->ops->count + 12) * u->row);
    return 5 * batch + (size_t)(2 + u->ops->streams) * whole + rows;
}

VDI__FN vdi__calcium_scratch vdi__calcium_cut(const vdi__calcium_note *u, char *at) {
    const size_t batch = vdi_align_size((size_t)(u->T * u->B) * sizeof(double));
    vdi__calcium_scratch s;
    s.seen = at;
    s.f = at + batch;
    s.down = at + 2 * batch;
    s.inverse = at + 3 * batch;
    s.shift = (double *)(void *)(at + 4 * batch);
    s.whole = at + 5 * batch;
    s.one = s.whole + vdi_align_size((size_t)u->T * u->row);
    s.two = s.one + u->row;
    return s;
}

/* Element (b,t) of f or mask of stream k */
VDI__INLINE int64_t vdi__calcium_at(const vdi__calcium_note *u, int k, int64_t b, int64_t t) {
    return k * u->B * u->T + (u->desc.time_major ? t * u->B + b : b * u->T + t);
}

/* Which frames count, their values and their number; true if all do. */
VDI__FN bool vdi__calcium_observe(const vdi__calcium_note *u, int k, const vdi_tensor *f,
                                  const vdi_tensor *mask, const vdi__calcium_scratch *s) {
    bool full = true;
    for (int64_t b = 0; b < u->B; b++) {
        double count = 0;
        for (int64_t t = 0; t < u->T; t++) {
            const int64_t at = vdi__calcium_at(u, k, b, t);
            const double v = vdi_dtype_load(u->dtype, f->data, at);
            const bool there = v == v && (!mask || vdi_dtype_load(u->dtype, mask->data, at) != 0);
            vdi_dtype_store(u->dtype, s->seen, t * u->B + b, there ? 1 : 0);
            vdi_dtype_store(u->dtype, s->f, t * u->B + b, there ? v : 0);
            count += there;
            full = full && there;
        }
        u->count[k][b] = count;
    }
    return full;
}

/* e = W (f - model) */
VDI__FN void vdi__calcium_residuals(const vdi__calcium_note *u, int k, bool full,
                                    const vdi__calcium_scratch *s) {
    const size_t part = (size_t)u->B * vdi_dtype_size(u->dtype);
    for (int64_t t = 0; t < u->T; t++) {
        char *to = vdi__calcium_row(u, u->error[k], t);
        vdi__calcium_model_row(u, &u->ops->readout[k], t, s->one);
        vdi__calcium_tile(u, s->f + (size_t)t * part, to);
        vdi__calcium_sub(u, to, s->one, to);
        if (full) continue;
        vdi__calcium_tile(u, s->seen + (size_t)t * part, s->two);
        vdi__calcium_mul(u, s->two, to, to);
    }
}

/* The factors of M, and what the walk adds to log p. */
VDI__FN void vdi__calcium_factor_walk(const vdi__calcium_note *u, int k,
                                      const vdi__calcium_scratch *s) {
    const double lambda = u->desc.drift;
    for (int64_t b = 0; b < u->B; b++) {
        double pivot = 0, logdet = 0;
        for (int64_t t = 0; t < u->T; t++) {
            const double w = vdi_dtype_load(u->dtype, s->seen, t * u->B + b);
            const double ends = (t > 0) + (t + 1 < u->T);
            pivot = w + lambda * ends - (t ? lambda * lambda / pivot : 0);
            /* only if nothing was observed */
            if (!(pivot > 1e-12 * lambda)) pivot = 1e-12 * lambda + (u->T == 1);
            logdet += log(pivot);
            vdi_dtype_store(u->dtype, s->down, t * u->B + b, lambda / pivot);
            vdi_dtype_store(u->dtype, s->inverse, t * u->B + b, 1 / pivot);
        }
        if (u->desc.drift_white || !(u->count[k][b] > 0)) continue;
        u->count[k][b] -= 1;
        s->shift[b] = 0.5 * (double)(u->T - 1) * log(lambda) - 0.5 * logdet;
    }
}

/* x = M^{-1} x for every lane, M = W + lambda D'D factored per row of the batch: the factors as in
 * vdi__calcium_scratch. */
VDI__FN void vdi__calcium_smooth(const vdi__calcium_note *u, const vdi__calcium_scratch *s,
                                 char *x) {
    const size_t part = (size_t)u->B * vdi_dtype_size(u->dtype);
    for (int64_t t = 1; t < u->T; t++) {
        vdi__calcium_tile(u, s->down + (size_t)(t - 1) * part, s->one);
        vdi__calcium_muladd(u, s->one, vdi__calcium_row(u, x, t - 1), vdi__calcium_row(u, x, t));
    }
    for (int64_t t = u->T - 1; t >= 0; t--) {
        vdi__calcium_tile(u, s->inverse + (size_t)t * part, s->one);
        vdi__calcium_mul(u, s->one, vdi__calcium_row(u, x, t), vdi__calcium_row(u, x, t));
        if (t + 1 == u->T) continue;
        vdi__calcium_tile(u, s->down + (size_t)t * part, s->one);
        vdi__calcium_muladd(u, s->one, vdi__calcium_row(u, x, t + 1), vdi__calcium_row(u, x, t));
    }
}

/* The smoothed residual is taken off: e = W(r - M^{-1}W r), and power = r'e. With drift_white it is
 * taken off twice (M^{-1} is applied to what is left again on the way of gradients back), and power
 * = |r - M^{-1}W r|^2. */
VDI__FN void vdi__calcium_take_walk(const vdi__calcium_note *u, int k, bool full,
                                    const vdi__calcium_scratch *s) {
    const size_t part = (size_t)u->B * vdi_dtype_size(u->dtype);
    const bool white = u->desc.drift_white;
    char *e = u->error[k];
    for (int pass = 0; pass < (white ? 2 : 1); pass++) {
        memcpy(s->whole, e, (size_t)u->T * u->row);
        vdi__calcium_smooth(u, s, s->whole);
        for (int64_t t = 0; t < u->T; t++) {
            char *y = vdi__calcium_row(u, e, t), *smooth = vdi__calcium_row(u, s->whole, t);
            if (!full) {
                vdi__calcium_tile(u, s->seen + (size_t)t * part, s->one);
                vdi__calcium_mul(u, s->one, smooth, smooth);
            }
            memcpy(s->one, y, u->row);
            vdi__calcium_sub(u, y, smooth, y);
            if (pass == 0) vdi__calcium_muladd(u, white ? y : s->one, y, u->power[k]);
        }
    }
}

/* Residuals, the baseline's walk, and log p of stream k (added to log_p). */
VDI__FN void vdi__calcium_score(const vdi__calcium_note *u, int k, const vdi_tensor *f,
                                const vdi_tensor *mask, char *scratch, char *log_p) {
    const vdi__calcium_scratch s = vdi__calcium_cut(u, scratch);
    const char *sigmas = vdi__calcium_parameter(u, u->ops->readout[k].sigma);
    const bool full = vdi__calcium_observe(u, k, f, mask, &s);
    vdi__calcium_residuals(u, k, full, &s);
    memset(u->power[k], 0, u->row);
    for (int64_t b = 0; b < u->B; b++) {
        s.shift[b] = 0;
    }
    if (u->desc.drift > 0) {
        vdi__calcium_factor_walk(u, k, &s);
        vdi__calcium_take_walk(u, k, full, &s);
    } else {
        for (int64_t t = 0; t < u->T; t++) {
            const char *e = vdi__calcium_row(u, u->error[k], t);
            vdi__calcium_muladd(u, e, e, u->power[k]);
        }
    }
    for (int64_t l = 0; l < (int64_t)u->n; l++) {
        const double sigma = vdi_dtype_load(u->dtype, sigmas, l), count = u->count[k][l % u->B];
        const double v = -0.5 * count * (VDI_LOG_2PI + 2 * log(sigma)) -
                         0.5 * vdi_dtype_load(u->dtype, u->power[k], l) / (sigma * sigma) +
                         s.shift[l % u->B];
        vdi_dtype_store(u->dtype, log_p, l, vdi_dtype_load(u->dtype, log_p, l) + v);
    }
}

/* ======== forward ============================================================================= */

/* Bytes that a node keeps from forward to backward. */
VDI__FN size_t vdi__calcium_saved_bytes(const vdi__calcium_note *u) {
    const size_t streams = (size_t)u->ops->streams, T = (size_t)u->T;
    const size_t rows = (size_t)u->ops->count + streams + ((size_t)u->ops->states + streams) * T;
    return rows * u->row + VDI_ALIGN + streams * (size_t)u->B * sizeof(double);
}

VDI__FN void vdi__calcium_place(vdi__calcium_note *u, char *saved) {
    const size_t stream = (size_t)u->T * u->row;
    char *at = saved;
    u->parameters = at;
    at += (size_t)u->ops->count * u->row;
    for (int i = 0; i < u->ops->states; i++) {
        u->state[i] = at;
        at += stream;
    }
    for (int k = 0; k < u->ops->streams; k++) {
        u->error[k] = at;
        at += stream;
    }
    for (int k = 0; k < u->ops->streams; k++) {
        u->power[k] = at;
        at += u->row;
    }
    at = saved + vdi_align_size((size_t)(at - saved));
    for (int k = 0; k < u->ops->streams; k++) {
        u->count[k] = (double *)(void *)at + k * u->B;
    }
}

/* theta (R,P) raw into rows of natural numbers. */
VDI__FN vdi_status vdi__calcium_load_theta(const vdi__calcium_note *u, const vdi_tensor *theta,
                                           vdi_error *err) {
    const size_t size = vdi_dtype_size(u->dtype);
    for (int i = 0; i < u->ops->count; i++) {
        char *to = u->parameters + (size_t)i * u->row;
        for (int64_t l = 0; l < u->R; l++) {
            const vdi_calcium_param *p = &u->ops->params[i];
            const double raw = vdi_dtype_load(u->dtype, theta->data, l * u->ops->count + i);
            if (!vdi__is_finite(raw)) {
                return vdi_error_set(err, VDI_ERR_DATA, "vdi_var_calcium", "parameter %s is %g",
                                     p->name, raw);
            }
            vdi_dtype_store(u->dtype, to, l, vdi_calcium_natural(p->map, raw));
        }
        for (size_t l = (size_t)u->R; l < u->n; l++) {
            memcpy(to + l * size, to + l % (size_t)u->R * size, size);
        }
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__calcium_forward(vdi_custom *c, void *user, vdi_error *err) {
    vdi__calcium_note *u = (vdi__calcium_note *)user;
    const size_t stream = (size_t)u->T * u->row;
    char *scratch = (char *)vdi_tape_scratch(c->tape, vdi__calcium_scratch_bytes(u));
    if (!scratch)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_var_calcium", "no memory for the scratch");
    vdi__calcium_place(u, (char *)c->saved);
    const vdi_status status = vdi__calcium_load_theta(u, &c->in[1], err);
    if (status < 0) return status;
    for (int k = 0; k < u->ops->streams; k++) {
        const char *from = (const char *)c->in[0].data + (size_t)k * stream;
        char *to = u->state[u->ops->spikes_at[k]];
        if (u->desc.time_major)
            memcpy(to, from, stream);
        else
            vdi__calcium_transpose(u->dtype, (int64_t)u->n, u->T, from, to, false);
    }
    u->ops->forward(u, scratch);
    memset(c->out[0].data, 0, u->row);
    for (int k = 0; k < u->ops->streams; k++) {
        vdi__calcium_score(u, k, &c->in[2], c->inputs > 3 ? &c->in[3] : NULL, scratch,
                           (char *)c->out[0].data);
    }
    for (int k = 0; k < u->ops->streams && u->want_trace; k++) {
        char *to = (char *)c->out[1].data + (size_t)k * stream;
        char *y = u->desc.time_major ? to : scratch;
        for (int64_t t = 0; t < u->T; t++) {
            vdi__calcium_model_row(u, &u->ops->readout[k], t, vdi__calcium_row(u, y, t));
        }
        if (!u->desc.time_major)
            vdi__calcium_transpose(u->dtype, u->T, (int64_t)u->n, y, to, false);
    }
    return VDI_OK;
}

/* ======== backward ============================================================================ */

/* What comes from above, and where it is collected. */
typedef struct vdi__calcium_back {
    vdi__calcium_adjoint a;
    char *trace[VDI__CALCIUM_STREAMS];  /* (T,n): by the trace, NULL if nothing came */
    char *weight[VDI__CALCIUM_STREAMS]; /* (n): by log p, over sigma^2 */
} vdi__calcium_back;

VDI__FN vdi__calcium_back vdi__calcium_back_cut(const vdi__calcium_note *u, char *at,
                                                bool want_spikes, bool from_trace) {
    const size_t stream = (size_t)u->T * u->row, rows = (size_t)u->ops->count * u->row;
    vdi__calcium_back b = VDI__ZERO;
    for (int k = 0; k < u->ops->streams; k++) {
        b.trace[k] = from_trace ? at : NULL;
        at += stream;
    }
    for (int k = 0; k < u->ops->streams; k++) {
        b.a.spikes[k] = want_spikes ? at : NULL;
        if (want_spikes) memset(at, 0, stream);
        at += stream;
    }
    b.a.parameters = at;
    memset(at, 0, rows);
    at += rows;
    for (int k = 0; k < VDI__CALCIUM_STREAMS; k++) {
        b.weight[k] = at;
        at += u->row;
    }
    b.a.readout = at;
    at += u->row;
    for (int i = 0; i < (int)VDI__COUNT(b.a.scratch); i++) {
        b.a.scratch[i] = at;
        at += u->row;
    }
    memset(at, 0, VDI__COUNT(b.a.carry) * u->row);
    for (int i = 0; i < (int)VDI__COUNT(b.a.carry); i++) {
        b.a.carry[i] = at;
        at += u->row;
    }
    return b;
}

/* dlog p / sigma^2, and all that sigma gets. */
VDI__FN void vdi__calcium_sigma_back(const vdi__calcium_note *u, int k, const vdi_tensor *dlog_p,
                                     const vdi__calcium_back *b) {
    const int place = u->ops->readout[k].sigma;
    char *dsigma = vdi__calcium_gradient(u, &b->a, place);
    for (int64_t l = 0; l < (int64_t)u->n; l++) {
        const double sigma = vdi_dtype_load(u->dtype, vdi__calcium_parameter(u, place), l);
        const double g = vdi_tensor_ok(*dlog_p) ? vdi_dtype_load(u->dtype, dlog_p->data, l) : 0;
        const double power = vdi_dtype_load(u->dtype, u->power[k], l);
        vdi_dtype_store(u->dtype, b->weight[k], l, g / (sigma * sigma));
        vdi_dtype_store(u->dtype, dsigma, l,
                        g * (power / (sigma * sigma) - u->count[k][l % u->B]) / sigma);
    }
}

/* From the last bin to the first. */
VDI__FN void vdi__calcium_back_run(const vdi__calcium_note *u, vdi__calcium_back *b) {
    for (int64_t t = u->T - 1; t >= 0; t--) {
        for (int k = 0; k < u->ops->streams; k++) {
            const vdi__calcium_readout *r = &u->ops->readout[k];
            char *d = b->a.readout;
            vdi__calcium_mul(u, b->weight[k], vdi__calcium_row(u, u->error[k], t), d);
            if (b->trace[k]) vdi__calcium_add(u, vdi__calcium_row(u, b->trace[k], t), d);
            vdi__calcium_add(u, d, vdi__calcium_gradient(u, &b->a, r->beta));
            for (int i = 0; i < r->terms; i++) {
                vdi__calcium_muladd(u, d, vdi__calcium_row(u, u->state[r->state[i]], t),
                                    vdi__calcium_gradient(u, &b->a, r->amplitude[i]));
            }
            u->ops->backward_bin(u, t, k, &b->a);
        }
    }
    if (u->ops->finish) u->ops->finish(u, &b->a);
}

/* The rows' derivatives summed over the lanes that share a row of theta, by the raw numbers. */
VDI__FN void vdi__calcium_theta_back(const vdi__calcium_note *u, const vdi__calcium_adjoint *a,
                                     const vdi_tensor *dtheta) {
    for (int64_t row = 0; row < u->R; row++) {
        for (int i = 0; i < u->ops->count; i++) {
            const int64_t at = row * u->ops->count + i;
            double sum = 0;
            for (int64_t l = row; l < (int64_t)u->n; l += u->R) {
                sum += vdi_dtype_load(u->dtype, vdi__calcium_gradient(u, a, i), l);
            }
            sum *= vdi__calcium_slope(u->ops->params[i].map,
                                      vdi_dtype_load(u->dtype, vdi__calcium_parameter(u, i), row));
            vdi_dtype_store(u->dtype, dtheta->data, at,
                            vdi_dtype_load(u->dtype, dtheta->data, at) + sum);
        }
    }
}

VDI__FN vdi_status vdi__calcium_backward(vdi_custom *c, void *user, vdi_error *err) {
    vdi__calcium_note *u = (vdi__calcium_note *)user;
    const size_t stream = (size_t)u->T * u->row;
    const bool want_spikes = vdi_tensor_ok(c->din[0]);
    const bool from_trace = u->want_trace && vdi_tensor_ok(c->dout[1]);
    char *scratch = (char *)vdi_tape_scratch(c->tape, vdi__calcium_scratch_bytes(u));
    if (!scratch)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_var_calcium", "no memory for the scratch");
    vdi__calcium_back b = vdi__calcium_back_cut(u, scratch, want_spikes, from_trace);
    for (int k = 0; k < u->ops->streams; k++) {
        const char *from = from_trace ? (const char *)c->dout[1].data + (size_t)k * stream : NULL;
        vdi__calcium_sigma_back(u, k, &c->dout[0], &b);
        if (!from) continue;
        if (u->desc.time_major)
            memcpy(b.trace[k], from, stream);
        else
            vdi__calcium_transpose(u->dtype, (int64_t)u->n, u->T, from, b.trace[k], false);
    }
    vdi__calcium_back_run(u, &b);
    for (int k = 0; k < u->ops->streams && want_spikes; k++) {
        char *to = (char *)c->din[0].data + (size_t)k * stream;
        if (u->desc.time_major)
            u->k->axpby(u->n * (size_t)u->T, 1, b.a.spikes[k], 1, to);
        else
            vdi__calcium_transpose(u->dtype, u->T, (int64_t)u->n, b.a.spikes[k], to, true);
    }
    if (vdi_tensor_ok(c->din[1])) vdi__calcium_theta_back(u, &b.a, &c->din[1]);
    return VDI_OK;
}

/* ======== the node ============================================================================ */

/* What vdi_var_calcium is handed. */
typedef struct vdi__calcium_inputs {
    vdi_tensor spikes, theta, f, mask;
} vdi__calcium_inputs;

VDI__FN vdi_status vdi__calcium_misfit(vdi_tape *t, const vdi__calcium_note *u,
                                       const vdi__calcium_inputs *in) {
    static const char where[] = "vdi_var_calcium";
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT], c[VDI_SHAPE_TEXT], d[VDI_SHAPE_TEXT];
    const char *lead = u->ops->streams == 2 ? "2, " : "";
    (void)vdi_tape_fail(
        t, VDI_ERR_SHAPE, where,
        "spikes %s, theta %s, f %s, mask %s do not fit together: %s expects %s(samples, batch, T), "
        "(.., %d), %s(batch, T), and a mask like f",
        vdi_tensor_ok(in->spikes) ? vdi_tensor_shape_text(in->spikes, a) : "none",
        vdi_tensor_ok(in->theta) ? vdi_tensor_shape_text(in->theta, b) : "none",
        vdi_tensor_ok(in->f) ? vdi_tensor_shape_text(in->f, c) : "none",
        vdi_tensor_ok(in->mask) ? vdi_tensor_shape_text(in->mask, d) : "none", u->ops->name, lead,
        u->ops->count, lead);
    return VDI_ERR_SHAPE;
}

/* Shapes and dtypes into u, or the tape's error. */
VDI__FN vdi_status vdi__calcium_fit(vdi_tape *t, const vdi__calcium_inputs *in,
                                    vdi__calcium_note *u) {
    const vdi_tensor vs = in->spikes, vp = in->theta, vf = in->f;
    const int lead = u->ops->streams == 2, count = u->ops->count;
    if (!vdi_tensor_ok(vs) || !vdi_tensor_ok(vp) || !vdi_tensor_ok(vf) || vs.ndim != 3 + lead ||
        vf.ndim != 2 + lead || vp.ndim < 1 || vp.ndim > 3 ||
        (lead && (vs.shape[0] != 2 || vf.shape[0] != 2)))
        return vdi__calcium_misfit(t, u, in);
    const int64_t *s = vs.shape + lead, *g = vf.shape + lead;
    const bool major = u->desc.time_major;
    const int64_t S = major ? s[1] : s[0], B = major ? s[2] : s[1], T = major ? s[0] : s[2];
    const int64_t R = vp.ndim == 1 ? 1 : vp.ndim == 2 ? vp.shape[0] : vp.shape[0] * vp.shape[1];
    const bool trace_fits = (major ? g[1] : g[0]) == B && (major ? g[0] : g[1]) == T;
    const bool theta_fits = vp.ndim == 1 || (vp.ndim == 2 && (R == B || R == 1)) ||
                            (vp.ndim == 3 && vp.shape[0] == S && vp.shape[1] == B);
    if (!trace_fits || !theta_fits || vp.shape[vp.ndim - 1] != count || S < 1 || B < 1 || T < 1 ||
        (vdi_tensor_ok(in->mask) && !vdi_tensor_same_shape(in->mask, vf)))
        return vdi__calcium_misfit(t, u, in);
    if (vp.dtype != vs.dtype || vf.dtype != vs.dtype ||
        (vdi_tensor_ok(in->mask) && in->mask.dtype != vs.dtype)) {
        (void)vdi_tape_fail(t, VDI_ERR_DTYPE, "vdi_var_calcium",
                            "spikes are %s, theta %s, f %s: expected one dtype",
                            vdi_dtype_name(vs.dtype), vdi_dtype_name(vp.dtype),
                            vdi_dtype_name(vf.dtype));
        return VDI_ERR_DTYPE;
    }
    u->dtype = vs.dtype;
    u->k = vdi__kernels_of(vs.dtype);
    u->S = S;
    u->B = B;
    u->T = T;
    u->R = R;
    u->n = (size_t)(S * B);
    u->row = u->n * vdi_dtype_size(u->dtype);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_var_calcium(vdi_tape *t, const vdi_calcium_desc *desc, vdi_var spikes,
                                    vdi_var theta, vdi_var f, vdi_var mask, vdi_var *trace,
                                    vdi_var *log_p) {
    static const char where[] = "vdi_var_calcium";
    vdi_error err;
    vdi_var in[4], out[2];
    vdi_tensor shapes[2];
    vdi__calcium_note note = VDI__ZERO;
    vdi__calcium_inputs tensors;
    if (trace) *trace = vdi_var_none();
    *log_p = vdi_var_none();
    vdi_status status = vdi_tape_status(t, NULL);
    if (status < 0) return status;
    note.desc = vdi__calcium_filled(desc);
    status = vdi_fields_check(vdi_calcium_desc_fields(), &note.desc, &err);
    if (status < 0) {
        (void)vdi_tape_fail(t, status, where, "%s", err.message);
        return status;
    }
    note.ops = vdi__calcium_of(note.desc.model);
    note.want_trace = trace != NULL;
    tensors.spikes = vdi_tape_value(t, spikes);
    tensors.theta = vdi_tape_value(t, theta);
    tensors.f = vdi_tape_value(t, f);
    tensors.mask = vdi_tape_value(t, mask);
    status = vdi__calcium_fit(t, &tensors, &note);
    if (status < 0) return status;
    vdi__calcium_note *u = (vdi__calcium_note *)vdi__tape_payload(t, where, sizeof *u);
    if (!u) return vdi_tape_status(t, NULL);
    *u = note;
    vdi_custom_desc op = VDI__ZERO;
    in[0] = spikes;
    in[1] = theta;
    in[2] = f;
    in[3] = mask;
    shapes[0] = vdi_tensor_2d(NULL, u->dtype, u->S, u->B);
    shapes[1] = vdi_tensor_view(NULL, u->dtype, tensors.spikes.ndim, tensors.spikes.shape);
    op.name = where;
    op.inputs = vdi_var_ok(mask) ? 4 : 3;
    op.input = in;
    op.outputs = trace ? 2 : 1;
    op.output = shapes;
    op.saved_bytes = vdi__calcium_saved_bytes(u);
    op.scratch_bytes = vdi__calcium_scratch_bytes(u);
    op.forward = vdi__calcium_forward;
    op.backward = vdi__calcium_backward;
    op.user = u;
    status = vdi_var_custom(t, &op, out);
    if (status < 0) return status;
    *log_p = out[0];
    if (trace) *trace = out[1];
    return VDI_OK;
}

/* theta of the rows of a batch: one vector where all are of one cell, which is the common case and
 * the cheaper one. */
VDI__FN vdi_var vdi__calcium_cell_theta(vdi_tape *t, const vdi_calcium_cells *cells,
                                        const vdi_calcium_info *info) {
    const vdi_var theta = vdi_tape_param(t, cells->theta);
    if (cells->theta->value.ndim != 2) return theta;
    if (!info->cell) return vdi_var_index(t, theta, 0, 0);
    bool same = true;
    for (int64_t b = 1; b < info->batch; b++) {
        same = same && info->cell[b] == info->cell[0];
    }
    if (same) return vdi_var_index(t, theta, 0, info->cell[0]);
    const vdi_tensor rows = vdi_tensor_1d((void *)(uintptr_t)info->cell, VDI_I64, info->batch);
    return vdi_var_gather(t, theta, rows);
}

VDI__DEF vdi_var vdi_calcium_fluorescence(vdi_tape *t, vdi_var spikes, vdi_var f, vdi_var mask,
                                          const vdi_calcium_info *info, vdi_var *trace,
                                          void *user) {
    const vdi_calcium_cells *cells = (const vdi_calcium_cells *)user;
    vdi_calcium_desc desc = cells->desc;
    vdi_var log_p = vdi_var_none();
    desc.time_major = info->time_major;
    if (info->bin > 0) desc.bin = info->bin;
    (void)vdi_var_calcium(t, &desc, spikes, vdi__calcium_cell_theta(t, cells, info), f, mask, trace,
                          &log_p);
    return log_p;
}
#endif
