/* model/vilds/observation/zip.h - zero-inflated Poisson counts (Lambert 1992, Technometrics 34):
 * with probability p the value is 0, else a Poisson count with mean link(eta); one p for each
 * channel, kept as its log odds a
 *
 *     log P(y) = -softplus(a) + y log m - m - log y! + (y = 0 ? softplus(a + m) : 0)
 */
#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_OBSERVATION_ZIP_C)
#define VDI_MODEL_VILDS_OBSERVATION_ZIP_C

/* Log odds of an extra zero before training: every ninth value. */
#define VDI__ZIP_START (-2.0)

VDI__FN vdi_param_desc vdi__zip_parameter(const vdi_vilds_desc *desc) {
    return vdi_param_1d("obs.zero_log_odds", VDI_INIT_CONSTANT, VDI__ZIP_START, desc->n);
}

/* The Poisson counts have more than the mean of all. */
VDI__FN double vdi__zip_start(const vdi_vilds_desc *desc, const vdi__obs_channel *c,
                              vdi_tensor parameter, int64_t channel) {
    const double log_odds = vdi_dtype_load(parameter.dtype, parameter.data, channel);
    vdi__obs_channel counts = *c;
    counts.mean = c->mean / vdi__obs_sigmoid(-log_odds);
    return vdi__obs_start_log_mean(desc, &counts, parameter, channel);
}

VDI__FN vdi_var vdi__zip_log_likelihood(const vdi__obs_graph *g, vdi_var eta) {
    vdi_tape *t = g->tape;
    vdi_var y = vdi_tape_constant(t, g->y), a = g->parameter;
    eta = vdi__obs_by_sample(g, eta);
    if (g->desc->link == VDI_VILDS_EXP) eta = vdi_var_clip(t, eta, -1e30, VDI__OBS_TOP);
    vdi_var mean = vdi_var_exp(t, eta);
    vdi_var count = vdi_var_sub(t, vdi_var_mul(t, y, eta), mean);
    vdi_var zero = vdi_var_add(t, count, vdi_var_softplus(t, vdi_var_add(t, mean, a)));
    vdi_var r = vdi_var_where(t, y, count, zero);
    return vdi__obs_sum_seen(g, vdi_var_sub(t, r, vdi_var_softplus(t, a)));
}

/* The Fisher information of log m is (1 - p) m (1 - m exp(-m) q), q that of an extra zero if y is
 * 0. */
VDI__FN vdi__obs_term vdi__zip_term(const vdi__obs_numbers *o, int64_t channel, double y,
                                    double eta, double shift) {
    const double a = o->number[channel], there = vdi__obs_sigmoid(-a);
    double log_mean = eta + shift, slope = 1, mean;
    vdi__obs_term v;
    if (o->link == VDI_VILDS_SOFTPLUS) {
        mean = vdi__obs_softplus_mean(eta, shift, &log_mean, &slope);
    } else {
        if (log_mean > VDI__OBS_TOP) {
            log_mean = VDI__OBS_TOP;
            slope = 0;
        }
        mean = exp(log_mean);
    }
    const double extra = vdi__obs_sigmoid(a + mean);
    v.mean = there * mean;
    v.log_p = y * log_mean - mean - vdi__obs_softplus(a);
    v.score = slope * (y - mean);
    if (y == 0) {
        v.log_p += vdi__obs_softplus(a + mean);
        v.score += slope * mean * extra;
    }
    v.information = slope * slope * v.mean * (1 - mean * exp(-mean) * extra);
    return v;
}

VDI__FN double vdi__zip_draw(const vdi__obs_numbers *o, int64_t channel, double eta, double shift,
                             vdi_rng *rng) {
    const double there = vdi__obs_sigmoid(-o->number[channel]);
    const double mean = vdi__zip_term(o, channel, 0, eta, shift).mean / there;
    return vdi_rng_uniform(rng) < there ? (double)vdi_rng_poisson(rng, mean) : 0;
}

/* Mean (1 - p) m and variance (1 - p) m (1 + p m) as in the data; a channel that scatters no more
 * than a Poisson one is one. */
VDI__FN void vdi__zip_constant_fit(const vdi_vilds_desc *desc, double mean, double sd,
                                   double *model) {
    const double variance = (sd - VDI__OBS_SD_GUARD) * (sd - VDI__OBS_SD_GUARD);
    const double m = VDI__MAX(mean, VDI__OBS_FLOOR), extra = VDI__MAX(variance / m - 1, 0);
    (void)desc;
    model[0] = m + extra;
    model[1] = extra / model[0]; /* p */
}

VDI__FN double vdi__zip_constant_log_p(const vdi_vilds_desc *desc, const double *model, double y) {
    (void)desc;
    if (y == 0) return log(model[1] + (1 - model[1]) * exp(-model[0]));
    return log1p(-model[1]) + y * log(model[0]) - model[0] - vdi__obs_log_factorial(y);
}

static const vdi__obs_ops vdi__obs_zip = {
    "Poisson counts with more zeros, a share of them for each channel",
    true,  /* counts */
    true,  /* exposed */
    true,  /* linked */
    true,  /* apart */
    false, /* lends */
    "a count",
    vdi__obs_takes_count,
    vdi__zip_parameter,
    vdi__obs_one,
    vdi__obs_same_number,
    vdi__zip_start,
    vdi__zip_log_likelihood,
    NULL,
    vdi__zip_term,
    vdi__zip_draw,
    vdi__zip_constant_fit,
    vdi__zip_constant_log_p,
};
#endif
