/* model/vilds/observation/bernoulli.h - values that are 0 or 1: probability sigmoid(eta) */
#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_OBSERVATION_BERNOULLI_C)
#define VDI_MODEL_VILDS_OBSERVATION_BERNOULLI_C

VDI__FN bool vdi__bernoulli_takes(double y) { return y == 0 || y == 1; }

VDI__FN double vdi__bernoulli_start(const vdi_vilds_desc *desc, const vdi__obs_channel *c,
                                    vdi_tensor parameter, int64_t channel) {
    const double p = VDI__MIN(VDI__MAX(c->mean, 1e-3), 1 - 1e-3);
    (void)desc;
    (void)parameter;
    (void)channel;
    return log(p / (1 - p)) - c->shift;
}

VDI__FN vdi_var vdi__bernoulli_log_likelihood(const vdi__obs_graph *g, vdi_var eta) {
    vdi_var y = vdi_tape_constant(g->tape, g->y);
    return vdi__obs_sum_seen(g, vdi_var_bernoulli_log_prob(g->tape, y, vdi__obs_by_sample(g, eta)));
}

VDI__FN vdi__obs_term vdi__bernoulli_term(const vdi__obs_numbers *o, int64_t channel, double y,
                                          double eta, double shift) {
    const double logit = eta + shift, p = vdi__obs_sigmoid(logit);
    vdi__obs_term v;
    (void)o;
    (void)channel;
    v.log_p = y * logit - vdi__obs_softplus(logit);
    v.score = y - p;
    v.information = p * (1 - p);
    v.mean = p;
    return v;
}

VDI__FN double vdi__bernoulli_draw(const vdi__obs_numbers *o, int64_t channel, double eta,
                                   double shift, vdi_rng *rng) {
    (void)o;
    (void)channel;
    return vdi_rng_bernoulli(rng, vdi__obs_sigmoid(eta + shift));
}

VDI__FN void vdi__bernoulli_constant_fit(const vdi_vilds_desc *desc, double mean, double sd,
                                         double *model) {
    (void)desc;
    (void)sd;
    model[0] = VDI__MIN(VDI__MAX(mean, VDI__OBS_FLOOR), 1 - VDI__OBS_FLOOR);
}

VDI__FN double vdi__bernoulli_constant_log_p(const vdi_vilds_desc *desc, const double *model,
                                             double y) {
    (void)desc;
    return y * log(model[0]) + (1 - y) * log1p(-model[0]);
}

static const vdi__obs_ops vdi__obs_bernoulli = {
    "0 or 1: a spike in the bin, or none",
    true,  /* counts */
    false, /* exposed */
    false, /* linked */
    false, /* apart */
    false, /* lends */
    "0 or 1",
    vdi__bernoulli_takes,
    NULL,
    NULL,
    NULL,
    vdi__bernoulli_start,
    vdi__bernoulli_log_likelihood,
    NULL,
    vdi__bernoulli_term,
    vdi__bernoulli_draw,
    vdi__bernoulli_constant_fit,
    vdi__bernoulli_constant_log_p,
};
#endif
