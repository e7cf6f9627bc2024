/* model/vilds/observation/gaussian.h - real values: mean eta, a standard deviation of its own for
 * each channel, kept as its logarithm
 */
#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_OBSERVATION_GAUSSIAN_C)
#define VDI_MODEL_VILDS_OBSERVATION_GAUSSIAN_C

VDI__FN vdi_param_desc vdi__gaussian_parameter(const vdi_vilds_desc *desc) {
    return vdi_param_1d("obs.log_sd", VDI_INIT_ZEROS, 0, desc->n);
}

VDI__FN double vdi__gaussian_start(const vdi_vilds_desc *desc, const vdi__obs_channel *c,
                                   vdi_tensor parameter, int64_t channel) {
    (void)desc;
    vdi_dtype_store(parameter.dtype, parameter.data, channel, log(c->sd));
    return c->mean - c->shift;
}

VDI__FN vdi_var vdi__gaussian_log_likelihood(const vdi__obs_graph *g, vdi_var eta) {
    vdi_var y = vdi_tape_constant(g->tape, g->y);
    return vdi__obs_sum_seen(
        g, vdi_var_normal_log_prob(g->tape, y, vdi__obs_by_sample(g, eta), g->parameter));
}

/* At the mean, less variance / 2 sd^2. */
VDI__FN vdi_var vdi__gaussian_expected(const vdi__obs_graph *g, vdi_var mean, vdi_var variance) {
    vdi_tape *t = g->tape;
    vdi_var r = vdi_var_normal_log_prob(t, vdi_tape_constant(t, g->y), mean, g->parameter);
    vdi_var precision = vdi_var_exp(t, vdi_var_mul_scalar(t, g->parameter, -2));
    vdi_var less = vdi_var_mul(t, variance, vdi_var_mul_scalar(t, precision, 0.5));
    return vdi__obs_sum_seen(g, vdi_var_sub(t, r, less));
}

VDI__FN vdi__obs_term vdi__gaussian_term(const vdi__obs_numbers *o, int64_t channel, double y,
                                         double eta, double shift) {
    const double log_sd = o->number[channel], precision = exp(-2 * log_sd);
    vdi__obs_term v;
    v.mean = eta + shift;
    const double e = y - v.mean;
    v.log_p = -0.5 * (e * e * precision + VDI_LOG_2PI) - log_sd;
    v.score = e * precision;
    v.information = precision;
    return v;
}

VDI__FN double vdi__gaussian_draw(const vdi__obs_numbers *o, int64_t channel, double eta,
                                  double shift, vdi_rng *rng) {
    return eta + shift + exp(o->number[channel]) * vdi_rng_normal(rng);
}

VDI__FN void vdi__gaussian_constant_fit(const vdi_vilds_desc *desc, double mean, double sd,
                                        double *model) {
    const double spread = sd - VDI__OBS_SD_GUARD;
    (void)desc;
    model[0] = mean;
    model[1] = spread > 1e-9 ? spread : sd; /* a channel that is constant keeps the guard */
}

VDI__FN double vdi__gaussian_constant_log_p(const vdi_vilds_desc *desc, const double *model,
                                            double y) {
    const double m = model[0], s = model[1];
    (void)desc;
    return -0.5 * ((y - m) * (y - m) / (s * s) + log(2 * VDI_PI)) - log(s);
}

static const vdi__obs_ops vdi__obs_gaussian = {
    "real values, a standard deviation for each channel",
    false, /* counts */
    false, /* exposed */
    false, /* linked */
    false, /* apart */
    false, /* lends */
    "a finite number",
    vdi__obs_takes_any,
    vdi__gaussian_parameter,
    vdi__obs_one,
    vdi__obs_same_number,
    vdi__gaussian_start,
    vdi__gaussian_log_likelihood,
    vdi__gaussian_expected,
    vdi__gaussian_term,
    vdi__gaussian_draw,
    vdi__gaussian_constant_fit,
    vdi__gaussian_constant_log_p,
};
#endif
