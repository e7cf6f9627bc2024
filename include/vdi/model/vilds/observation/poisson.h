/* model/vilds/observation/poisson.h - Poisson counts: mean link(eta)
 *
 * Without log y!. With the exp link the rate is exp(eta), and beyond a log rate of 18.5, some 1e8 a
 * bin, the tangent there: nothing overflows, and what went too far is still told the way back.
 * Above a log rate of 8 the arithmetic is in float64, since y eta and exp(eta) are large numbers
 * there that nearly cancel.
 */
#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_OBSERVATION_POISSON_C)
#define VDI_MODEL_VILDS_OBSERVATION_POISSON_C

VDI__FN double vdi__poisson_beyond(double eta, double *log_rate) {
    *log_rate = VDI__OBS_TOP + log1p(eta - VDI__OBS_TOP);
    return exp(VDI__OBS_TOP) * (1 + eta - VDI__OBS_TOP);
}

enum { VDI__POISSON_WIDE = 512 }; /* elements that are worked on in float64 together */

/* As below, for rates that may be large. */
VDI__FN double vdi__poisson_wide(vdi_dtype dtype, size_t n, const char *eta, const char *y,
                                 const char *mask, char *keep) {
    double x[VDI__POISSON_WIDE] = {0}, rate[VDI__POISSON_WIDE], sum = 0;
    for (size_t i = 0; i < n; i++)
        x[i] = vdi_dtype_load(dtype, eta, (int64_t)i);
    vdi_clip(VDI_F64, n, -1e30, VDI__OBS_TOP, x, rate);
    vdi_exp(VDI_F64, n, rate, rate);
    for (size_t i = 0; i < n; i++) {
        const int64_t at = (int64_t)i;
        const double count = vdi_dtype_load(dtype, y, at);
        double log_rate = x[i], slope = 1;
        if (mask && vdi_dtype_load(dtype, mask, at) == 0) {
            vdi_dtype_store(dtype, keep, at, 0);
            continue;
        }
        if (x[i] > VDI__OBS_TOP) {
            slope = rate[i];
            rate[i] = vdi__poisson_beyond(x[i], &log_rate);
            slope /= rate[i];
        }
        sum += count * log_rate - rate[i];
        vdi_dtype_store(dtype, keep, at, slope * (count - rate[i]));
    }
    return sum;
}

/* y log rate - rate summed over n counts; its derivative by eta goes to `keep`, which holds the
 * rates on the way. */
VDI__FN double vdi__poisson_piece(vdi_dtype dtype, size_t n, const char *eta, const char *y,
                                  const char *mask, char *keep) {
    const size_t size = vdi_dtype_size(dtype), most = VDI__POISSON_WIDE;
    double sum = 0;
    if (!(vdi_max(dtype, n, eta) <= VDI__OBS_NARROW)) {
        for (size_t i = 0; i < n; i += most) {
            const size_t at = i * size;
            sum += vdi__poisson_wide(dtype, VDI__MIN(most, n - i), eta + at, y + at,
                                     mask ? mask + at : NULL, keep + at);
        }
        return sum;
    }
    sum = vdi_dot(dtype, n, y, eta);
    vdi_exp(dtype, n, eta, keep);
    if (mask) vdi_binary(dtype, VDI_MUL, n, keep, 1, mask, 1, keep);
    sum -= vdi_sum(dtype, n, keep);
    vdi_axpby(dtype, n, 1, y, -1, keep);
    return sum;
}

VDI__FN vdi_status vdi__poisson_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__trial_rows *r = (const vdi__trial_rows *)user;
    const vdi_dtype dtype = c->in[0].dtype;
    const size_t size = vdi_dtype_size(dtype), row = (size_t)r->n * size;
    const size_t piece = 8192 / size; /* stays in the first-level cache */
    (void)err;
    for (int64_t s = 0; s < r->samples; s++) {
        for (int64_t b = 0; b < r->trials; b++) {
            const size_t n = (size_t)(r->length[b] * r->n), from = (size_t)r->first[b] * row;
            const size_t at = (size_t)(s * r->rows) * row + from;
            const char *eta = (const char *)c->in[0].data + at;
            const char *y = r->lent ? (const char *)r->lent[b] : (const char *)r->y + from;
            const char *mask = r->mask ? (const char *)r->mask + from : NULL;
            double sum = 0;
            for (size_t i = 0; i < n; i += piece) {
                sum += vdi__poisson_piece(dtype, VDI__MIN(piece, n - i), eta + i * size,
                                          y + i * size, mask ? mask + i * size : NULL,
                                          (char *)c->saved + at + i * size);
            }
            ((double *)c->out[0].data)[s * r->trials + b] = sum;
        }
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__poisson_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__trial_rows *r = (const vdi__trial_rows *)user;
    const vdi_dtype dtype = c->in[0].dtype;
    const size_t row = (size_t)r->n * vdi_dtype_size(dtype);
    const double *g = (const double *)c->dout[0].data;
    (void)err;
    if (!c->din[0].data || !g) return VDI_OK;
    for (int64_t s = 0; s < r->samples; s++) {
        for (int64_t b = 0; b < r->trials; b++) {
            const size_t at = (size_t)(s * r->rows + r->first[b]) * row;
            vdi_axpby(dtype, (size_t)(r->length[b] * r->n), g[s * r->trials + b],
                      (const char *)c->saved + at, 1, (char *)c->din[0].data + at);
        }
    }
    return VDI_OK;
}

VDI__FN vdi_var vdi__poisson_log_likelihood(const vdi__obs_graph *g, vdi_var eta) {
    return vdi__obs_row_op(g->tape, eta, &g->rows, vdi__poisson_forward, vdi__poisson_backward,
                           vdi_tensor_bytes(vdi_tape_value(g->tape, eta)));
}

/* E y eta - exp eta = y mean - exp(mean + variance/2): that of mean + variance/2, less y
 * variance/2. */
VDI__FN vdi_var vdi__poisson_expected(const vdi__obs_graph *g, vdi_var mean, vdi_var variance) {
    vdi_tape *t = g->tape;
    vdi_var half = vdi_var_mul_scalar(t, variance, 0.5);
    vdi_var r = vdi__poisson_log_likelihood(g, vdi_var_add(t, mean, half));
    vdi_var more = vdi_var_mul(t, half, vdi_tape_constant(t, g->y));
    return vdi_var_sub(t, r, vdi__obs_sum(t, more, &g->rows));
}

VDI__FN vdi__obs_term vdi__poisson_term(const vdi__obs_numbers *o, int64_t channel, double y,
                                        double eta, double shift) {
    double log_mean = eta + shift, slope = 1;
    vdi__obs_term v;
    (void)channel;
    if (o->link == VDI_VILDS_SOFTPLUS) {
        v.mean = vdi__obs_softplus_mean(eta, shift, &log_mean, &slope);
    } else if (log_mean > VDI__OBS_TOP) {
        v.mean = vdi__poisson_beyond(log_mean, &log_mean);
        slope = exp(VDI__OBS_TOP) / v.mean;
    } else {
        v.mean = exp(log_mean);
    }
    v.log_p = y * log_mean - v.mean;
    v.score = slope * (y - v.mean);
    v.information = slope * slope * v.mean;
    return v;
}

VDI__FN double vdi__poisson_draw(const vdi__obs_numbers *o, int64_t channel, double eta,
                                 double shift, vdi_rng *rng) {
    return (double)vdi_rng_poisson(rng, vdi__poisson_term(o, channel, 0, eta, shift).mean);
}

VDI__FN void vdi__poisson_constant_fit(const vdi_vilds_desc *desc, double mean, double sd,
                                       double *model) {
    (void)desc;
    (void)sd;
    model[0] = VDI__MAX(mean, VDI__OBS_FLOOR);
    vdi_log(VDI_F64, 1, model, model + 1);
}

VDI__FN double vdi__poisson_constant_log_p(const vdi_vilds_desc *desc, const double *model,
                                           double y) {
    (void)desc;
    return y * model[1] - model[0] - vdi__obs_log_factorial(y);
}

static const vdi__obs_ops vdi__obs_poisson = {
    "Poisson counts",
    true, /* counts */
    true, /* exposed */
    true, /* linked */
    true, /* apart */
    true, /* lends */
    "a count",
    vdi__obs_takes_count,
    NULL,
    NULL,
    NULL,
    vdi__obs_start_log_mean,
    vdi__poisson_log_likelihood,
    vdi__poisson_expected,
    vdi__poisson_term,
    vdi__poisson_draw,
    vdi__poisson_constant_fit,
    vdi__poisson_constant_log_p,
};
#endif
