/* model/vilds/observation/negbin.h - negative binomial counts: mean link(eta), variance mean +
 * mean^2 / r, one r for each channel, kept as its logarithm
 */
#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_OBSERVATION_NEGBIN_C)
#define VDI_MODEL_VILDS_OBSERVATION_NEGBIN_C

VDI__FN vdi_param_desc vdi__negbin_parameter(const vdi_vilds_desc *desc) {
    return vdi_param_1d("obs.log_shape", VDI_INIT_CONSTANT, 2, desc->n);
}

/* Large counts in float64: the terms of log P are large numbers that nearly cancel. */
VDI__FN vdi_var vdi__negbin_log_likelihood(const vdi__obs_graph *g, vdi_var eta) {
    vdi_tape *t = g->tape;
    const vdi_dtype dtype = g->y.dtype;
    const size_t count = (size_t)vdi_tensor_count(g->y);
    const bool wide = vdi_max(dtype, count, g->y.data) > exp(VDI__OBS_NARROW);
    const vdi_dtype work = wide ? VDI_F64 : dtype;
    vdi_var y = wide ? vdi_tape_constant_copy(t, g->y, VDI_F64) : vdi_tape_constant(t, g->y);
    eta = vdi_var_cast(t, vdi__obs_by_sample(g, eta), work);
    if (g->desc->link == VDI_VILDS_EXP) eta = vdi_var_clip(t, eta, -1e30, VDI__OBS_TOP);
    vdi_var r = vdi_var_cast(t, g->parameter, work);
    r = vdi_var_negative_binomial_log_prob(t, y, eta, r);
    return vdi__obs_sum_seen(g, vdi_var_cast(t, r, dtype));
}

/* log of the probability of y at mean and shape r, from the logarithm of the mean */
VDI__FN double vdi__negbin_log_p(double y, double log_mean, double mean, double r) {
    const double gammas = vdi__obs_lgamma(y + r) - vdi__obs_lgamma(r) - vdi__obs_lgamma(y + 1);
    return gammas + r * log(r / (r + mean)) + y * (log_mean - log(r + mean));
}

VDI__FN vdi__obs_term vdi__negbin_term(const vdi__obs_numbers *o, int64_t channel, double y,
                                       double eta, double shift) {
    const double r = exp(o->number[channel]);
    double log_mean = eta + shift, slope = 1;
    vdi__obs_term v;
    if (o->link == VDI_VILDS_SOFTPLUS) {
        v.mean = vdi__obs_softplus_mean(eta, shift, &log_mean, &slope);
    } else {
        if (log_mean > VDI__OBS_TOP) {
            log_mean = VDI__OBS_TOP;
            slope = 0;
        }
        v.mean = exp(log_mean);
    }
    v.log_p = vdi__negbin_log_p(y, log_mean, v.mean, r);
    v.score = slope * (y - (y + r) * v.mean / (r + v.mean));
    v.information = slope * slope * v.mean * r / (r + v.mean);
    return v;
}

VDI__FN double vdi__negbin_draw(const vdi__obs_numbers *o, int64_t channel, double eta,
                                double shift, vdi_rng *rng) {
    const double r = exp(o->number[channel]);
    const double mean = vdi__negbin_term(o, channel, 0, eta, shift).mean;
    return (double)vdi_rng_poisson(rng, mean * vdi_rng_gamma(rng, r) / r);
}

/* The shape from the variance; a channel that scatters no more than a Poisson one is one. */
VDI__FN void vdi__negbin_constant_fit(const vdi_vilds_desc *desc, double mean, double sd,
                                      double *model) {
    const double variance = (sd - VDI__OBS_SD_GUARD) * (sd - VDI__OBS_SD_GUARD);
    (void)desc;
    model[0] = VDI__MAX(mean, VDI__OBS_FLOOR);
    model[1] = variance > model[0] ? model[0] * model[0] / (variance - model[0]) : HUGE_VAL;
}

VDI__FN double vdi__negbin_constant_log_p(const vdi_vilds_desc *desc, const double *model,
                                          double y) {
    const double log_mean = log(model[0]);
    (void)desc;
    if (model[1] > 1e8) return y * log_mean - model[0] - vdi__obs_log_factorial(y);
    return vdi__negbin_log_p(y, log_mean, model[0], model[1]);
}

static const vdi__obs_ops vdi__obs_negbin = {
    "counts that scatter more than Poisson ones",
    true,  /* counts */
    true,  /* exposed */
    true,  /* linked */
    false, /* apart */
    false, /* lends */
    "a count",
    vdi__obs_takes_count,
    vdi__negbin_parameter,
    vdi__obs_one,
    vdi__obs_same_number,
    vdi__obs_start_log_mean,
    vdi__negbin_log_likelihood,
    NULL,
    vdi__negbin_term,
    vdi__negbin_draw,
    vdi__negbin_constant_fit,
    vdi__negbin_constant_log_p,
};
#endif
