/* model/vilds/observation/gencount.h - generalised counts (Gao, Buesing, Shenoy, Cunningham 2015)
 *
 *     p(k) = exp(eta k + g(k)) / (k! Z),   g(0) = g(1) = 0,
 *
 * one g for each channel: free up to desc.max_count, straight beyond, up to the last count of the
 * sum Z. Without log y!.
 */
#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_OBSERVATION_GENCOUNT_C)
#define VDI_MODEL_VILDS_OBSERVATION_GENCOUNT_C

/* Beyond this eta the sum over counts would be long: it stays. */
#define VDI__GENCOUNT_TOP 8.0

/* Counts from 0 on that have a probability. */
VDI__FN int64_t vdi__gencount_terms(const vdi_vilds_desc *desc) { return 2 * desc->max_count + 21; }

VDI__FN vdi_param_desc vdi__gencount_parameter(const vdi_vilds_desc *desc) {
    return vdi_param_2d("obs.g", VDI_INIT_ZEROS, 0, desc->n, desc->max_count - 1);
}

VDI__FN double vdi__gencount_start(const vdi_vilds_desc *desc, const vdi__obs_channel *c,
                                   vdi_tensor parameter, int64_t channel) {
    (void)desc;
    (void)parameter;
    (void)channel;
    return log(VDI__MAX(c->mean, 1e-3) / c->exposure);
}

/* ---- on the tape ----------------------------------------------------------------------------- */

/* g (n,terms) from its free part (n,max_count - 1), a linear map */
VDI__FN vdi_var vdi__gencount_g(const vdi__obs_graph *g) {
    const int64_t K = g->desc->max_count, terms = vdi__gencount_terms(g->desc);
    const vdi_dtype dtype = g->desc->dtype;
    void *map = vdi_arena_calloc(g->arena, (size_t)((K - 1) * terms) * sizeof(double));
    if (!map) return vdi_tape_fail(g->tape, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    for (int64_t k = 2; k < terms; k++) {
        const double beyond = k > K ? (double)(k - K) : 0;
        vdi_dtype_store(dtype, map, (VDI__MIN(k, K) - 2) * terms + k, 1 + beyond);
        if (beyond > 0 && K > 2) vdi_dtype_store(dtype, map, (K - 3) * terms + k, -beyond);
    }
    return vdi_var_matmul(g->tape, g->parameter,
                          vdi_tape_constant(g->tape, vdi_tensor_2d(map, dtype, K - 1, terms)), 0);
}

/* For each value where its g(y) stands in the table (n,terms); NULL if the tape has failed. */
VDI__FN int64_t *vdi__gencount_places(const vdi__obs_graph *g, int64_t terms) {
    const int64_t n = g->rows.n, cells = g->rows.rows * n;
    int64_t *place = (int64_t *)vdi_arena_alloc(g->arena, (size_t)cells * sizeof *place);
    if (!place) {
        (void)vdi_tape_fail(g->tape, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
        return NULL;
    }
    for (int64_t i = 0; i < cells; i++) {
        const double y = vdi_dtype_load(g->desc->dtype, g->y.data, i);
        if (y >= (double)terms) {
            (void)vdi_tape_fail(g->tape, VDI_ERR_DATA, "vdi_vilds",
                                "a count is %g; desc.max_count %lld takes counts up to %lld", y,
                                (long long)g->desc->max_count, (long long)terms - 1);
            return NULL;
        }
        place[i] = i % n * terms + (int64_t)y;
    }
    return place;
}

/* eta y + g(y) - log sum_k exp(eta k + g(k) - log k!) */
VDI__FN vdi_var vdi__gencount_log_likelihood(const vdi__obs_graph *g, vdi_var eta) {
    vdi_tape *t = g->tape;
    const vdi_dtype dtype = g->desc->dtype;
    const int64_t terms = vdi__gencount_terms(g->desc);
    int64_t wide[4], line[1];
    int64_t *place = vdi__gencount_places(g, terms);
    void *k = vdi_arena_alloc(g->arena, (size_t)terms * sizeof(double));
    void *log_factorial = vdi_arena_alloc(g->arena, (size_t)terms * sizeof(double));
    if (!place) return vdi_var_none();
    if (!k || !log_factorial) return vdi_tape_fail(t, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    for (int64_t i = 0; i < terms; i++) {
        vdi_dtype_store(dtype, k, i, (double)i);
        vdi_dtype_store(dtype, log_factorial, i, vdi__obs_log_factorial((double)i));
    }
    vdi_var table = vdi__gencount_g(g);
    vdi_var base =
        vdi_var_sub(t, table, vdi_tape_constant(t, vdi_tensor_1d(log_factorial, dtype, terms)));
    line[0] = g->rows.n * terms;
    vdi_var g_y = vdi_var_gather(t, vdi_var_reshape(t, table, 1, line),
                                 vdi_tensor_1d(place, VDI_I64, g->rows.rows * g->rows.n));
    g_y = vdi_var_reshape(t, g_y, 2, g->y.shape);
    eta = vdi_var_clip(t, vdi__obs_by_sample(g, eta), -1e30, VDI__GENCOUNT_TOP);
    wide[0] = g->rows.samples;
    wide[1] = g->rows.rows;
    wide[2] = g->rows.n;
    wide[3] = 1;
    vdi_var all = vdi_var_mul(t, vdi_var_reshape(t, eta, 4, wide),
                              vdi_tape_constant(t, vdi_tensor_1d(k, dtype, terms)));
    vdi_var log_z = vdi_var_logsumexp(t, vdi_var_add(t, all, base), -1, false);
    vdi_var r = vdi_var_add(t, vdi_var_mul(t, eta, vdi_tape_constant(t, g->y)), g_y);
    return vdi__obs_sum_seen(g, vdi_var_sub(t, r, log_z));
}

/* ---- in plain numbers ------------------------------------------------------------------------ */

/* A channel's numbers: g(k), then g(k) - log k!. */
VDI__FN int64_t vdi__gencount_stride(const vdi_vilds_desc *desc) {
    return 2 * vdi__gencount_terms(desc);
}

VDI__FN void vdi__gencount_numbers(const vdi_vilds_desc *desc, vdi_tensor parameter,
                                   int64_t channel, double *to) {
    const int64_t K = desc->max_count, terms = vdi__gencount_terms(desc), first = channel * (K - 1);
    for (int64_t k = 0; k < terms; k++) {
        const int64_t at = first + VDI__MIN(k, K) - 2;
        double g = k < 2 ? 0 : vdi_dtype_load(parameter.dtype, parameter.data, at);
        if (k > K) {
            const double below =
                K > 2 ? vdi_dtype_load(parameter.dtype, parameter.data, first + K - 3) : 0;
            g += (double)(k - K) * (g - below);
        }
        to[k] = g;
        to[terms + k] = g - vdi__obs_log_factorial((double)k);
    }
}

/* log Z, and the first two moments of k */
VDI__FN double vdi__gencount_sum(const double *base, int64_t terms, double eta, double *first,
                                 double *second) {
    double top = base[0], sum = 0;
    *first = *second = 0;
    for (int64_t k = 1; k < terms; k++)
        top = VDI__MAX(top, base[k] + eta * (double)k);
    for (int64_t k = 0; k < terms; k++) {
        const double p = exp(base[k] + eta * (double)k - top);
        sum += p;
        *first += p * (double)k;
        *second += p * (double)k * (double)k;
    }
    *first /= sum;
    *second /= sum;
    return top + log(sum);
}

VDI__FN vdi__obs_term vdi__gencount_term(const vdi__obs_numbers *o, int64_t channel, double y,
                                         double eta, double shift) {
    const int64_t terms = o->stride / 2, k = (int64_t)y;
    const double *g = o->number + channel * o->stride;
    const bool held = eta + shift > VDI__GENCOUNT_TOP;
    const double e = held ? VDI__GENCOUNT_TOP : eta + shift;
    double second;
    vdi__obs_term v;
    const double log_z = vdi__gencount_sum(g + terms, terms, e, &v.mean, &second);
    v.log_p = k < terms ? g[k] + e * y - log_z : -1e300;
    v.score = held ? 0 : y - v.mean;
    v.information = held ? 0 : second - v.mean * v.mean;
    return v;
}

VDI__FN double vdi__gencount_draw(const vdi__obs_numbers *o, int64_t channel, double eta,
                                  double shift, vdi_rng *rng) {
    const int64_t terms = o->stride / 2;
    const double *base = o->number + channel * o->stride + terms;
    const double e = VDI__MIN(eta + shift, VDI__GENCOUNT_TOP);
    double first, second, left = vdi_rng_uniform(rng);
    const double log_z = vdi__gencount_sum(base, terms, e, &first, &second);
    for (int64_t k = 0; k < terms; k++) {
        left -= exp(base[k] + e * (double)k - log_z);
        if (left < 0) return (double)k;
    }
    return (double)(terms - 1);
}

/* ---- the constant model ---------------------------------------------------------------------- */

/* Of the family the member g(k) = c k (k - 1) / 2 with the channel's mean and variance: the moments
 * of k and k (k - 1) / 2 determine eta and c. */
VDI__FN double vdi__gencount_moments(int64_t terms, double eta, double c, double m[2],
                                     double cov[3]) {
    double top = 0, sum = 0, square[3] = {0, 0, 0};
    m[0] = m[1] = 0;
    for (int64_t k = 0; k < terms; k++) {
        const double x = (double)k, pairs = 0.5 * x * (x - 1);
        top = VDI__MAX(top, eta * x + c * pairs - vdi__obs_log_factorial(x));
    }
    for (int64_t k = 0; k < terms; k++) {
        const double x = (double)k, pairs = 0.5 * x * (x - 1);
        const double p = exp(eta * x + c * pairs - vdi__obs_log_factorial(x) - top);
        sum += p;
        m[0] += p * x;
        m[1] += p * pairs;
        square[0] += p * x * x;
        square[1] += p * x * pairs;
        square[2] += p * pairs * pairs;
    }
    m[0] /= sum;
    m[1] /= sum;
    cov[0] = square[0] / sum - m[0] * m[0];
    cov[1] = square[1] / sum - m[0] * m[1];
    cov[2] = square[2] / sum - m[1] * m[1];
    return top + log(sum);
}

/* Newton's method on the convex log Z - eta E k - c E k(k-1)/2, with steps that do not raise it;
 * moments that no member has (0 or 1 alone) are approached until c is -40. */
VDI__FN void vdi__gencount_constant_fit(const vdi_vilds_desc *desc, double mean, double sd,
                                        double *model) {
    const int64_t terms = vdi__gencount_terms(desc);
    const double variance = (sd - VDI__OBS_SD_GUARD) * (sd - VDI__OBS_SD_GUARD);
    const double m = VDI__MAX(mean, VDI__OBS_FLOOR);
    const double pairs = VDI__MAX(0.5 * (variance + m * m - m), 0);
    double eta = log(m), c = 0, at[2], cov[3],
           log_z = vdi__gencount_moments(terms, eta, c, at, cov);
    for (int step = 0; step < 100; step++) {
        const double gx = m - at[0], gy = pairs - at[1], ridge = 1e-12 * (1 + cov[0] + cov[2]);
        const double a = cov[0] + ridge, b = cov[1], d = cov[2] + ridge, det = a * d - b * b;
        const double dx = (d * gx - b * gy) / det, dy = (a * gy - b * gx) / det;
        if (!(fabs(gx) > 1e-12 * m) && !(fabs(gy) > 1e-12 * (1e-6 + pairs))) break;
        double length = 1;
        for (int halving = 0; halving < 40; halving++, length *= 0.5) {
            const double x = eta + length * dx, y = VDI__MAX(c + length * dy, -40.0);
            double to[2], next[3];
            const double z = vdi__gencount_moments(terms, x, y, to, next);
            if (!(z - x * m - y * pairs <= log_z - eta * m - c * pairs)) continue;
            eta = x;
            c = y;
            log_z = z;
            memcpy(at, to, sizeof at);
            memcpy(cov, next, sizeof cov);
            break;
        }
        if (c <= -40) break;
    }
    model[0] = eta;
    model[1] = c;
    model[2] = log_z;
}

VDI__FN double vdi__gencount_constant_log_p(const vdi_vilds_desc *desc, const double *model,
                                            double y) {
    (void)desc;
    return model[0] * y + model[1] * 0.5 * y * (y - 1) - vdi__obs_log_factorial(y) - model[2];
}

static const vdi__obs_ops vdi__obs_gencount = {
    "generalised counts: any scatter, a table of it for each channel",
    true,  /* counts */
    true,  /* exposed */
    false, /* linked */
    true,  /* apart */
    false, /* lends */
    "a count",
    vdi__obs_takes_count,
    vdi__gencount_parameter,
    vdi__gencount_stride,
    vdi__gencount_numbers,
    vdi__gencount_start,
    vdi__gencount_log_likelihood,
    NULL,
    vdi__gencount_term,
    vdi__gencount_draw,
    vdi__gencount_constant_fit,
    vdi__gencount_constant_log_p,
};
#endif
