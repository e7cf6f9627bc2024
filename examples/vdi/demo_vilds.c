/* examples/vdi/demo_vilds.c - variational inference: a bound that is met
 *
 * Gaussian observations through a linear read-out: the posterior is Gaussian, so nothing but
 * training stands between the bound and log p, which a Kalman filter tells.
 */
#include "demo.h"
#include "vilds.h"

enum { B = 30, T = 80, N = 6, D = 2 };

void demo_rotate(vdi_rng *rng, double decay, double angle, double noise, bool first,
                 const double *was, double *now) {
    const double c = decay * cos(angle), s = decay * sin(angle);
    for (int i = 0; i < 2; i++) {
        const double e = vdi_rng_normal(rng);
        now[i] = first ? e : (i ? s * was[0] + c * was[1] : c * was[0] - s * was[1]) + noise * e;
    }
}

/* y (B,T,N): six channels driven by a damped rotation. */
static double *observed(uint64_t seed) {
    double *y = doubles(B * T * N), z[2] = {0, 0}, was[2] = {0, 0}, C[N][D];
    vdi_rng rng = vdi_rng_make(seed, 3);
    for (int i = 0; i < N * D; i++)
        C[i / D][i % D] = vdi_rng_normal(&rng);
    for (int b = 0; b < B * T; b++) {
        demo_rotate(&rng, 0.97, 0.3, 0.25, b % T == 0, was, z);
        memcpy(was, z, sizeof was);
        for (int j = 0; j < N; j++)
            y[b * N + j] = C[j][0] * z[0] + C[j][1] * z[1] + 0.7 * vdi_rng_normal(&rng);
    }
    return y;
}

static bool make(const demo *m, vdi_tensor y, vdi_vilds **model, vdi_vilds_data **data,
                 vdi_error *err) {
    vdi_vilds_desc desc = {0};
    vdi_vilds_data_desc dd = {0};
    desc.d = D;
    desc.n = N;
    desc.obs = VDI_VILDS_GAUSSIAN;
    desc.linear = desc.encoder_linear = true;
    desc.pool = m->r->pool;
    desc.has_reach = true;
    desc.reach = 0; /* the product posterior needs y_t alone: the prior brings the neighbours */
    desc.free_start = true;
    desc.dtype = VDI_F64;
    desc.train.steps = m->quick ? 300 : 800;
    desc.train.rate = 0.03;
    desc.train.no_masking = true;
    desc.train.batch = B;
    dd.y = y;
    return vdi_vilds_create(&desc, model, err) == VDI_OK &&
           vdi_vilds_data_create(*model, &dd, data, err) == VDI_OK;
}

static bool train(const demo *m, vdi_vilds *model, vdi_vilds_data *data, vdi_error *err) {
    vdi_vilds_progress p = {0};
    vdi_status status = VDI_OK;
    while (status != VDI_END && !interrupted()) {
        status = vdi_vilds_step(model, data, NULL, &p, err);
        if (status < 0) return false;
        if (status != VDI_END) progress(m->r, p.step, p.steps, "VILDS: bound", p.elbo);
    }
    progress_end(m->r);
    return !interrupted();
}

static const double *parameter(vdi_vilds *model, const char *name) {
    return (const double *)vdi_params_find(vdi_vilds_params(model), name)->value.data;
}

/* The same parameters in a Kalman filter: log p per bin. */
static bool exact_bound(vdi_vilds *model, vdi_tensor y, double *exact, vdi_error *err) {
    vdi_lds *lds = NULL;
    vdi_lds_data *data = NULL;
    vdi_lds_desc desc = {0};
    vdi_lds_data_desc dd = {0};
    desc.d = D;
    desc.n = N;
    desc.diagonal_r = true;
    dd.y = y;
    if (vdi_lds_create(&desc, &lds, err) < 0) return false;
    const double *sd = parameter(model, "obs.log_sd");
    const double *W = parameter(model, "decoder.0.weight");
    memcpy(lds->A, parameter(model, "prior.A"), D * D * sizeof *lds->A);
    memcpy(lds->x0, parameter(model, "prior.x0"), D * sizeof *lds->x0);
    memcpy(lds->b, parameter(model, "decoder.0.bias"), N * sizeof *lds->b);
    for (int j = 0; j < N; j++)
        lds->R[j * N + j] = exp(2 * sd[j]);
    for (int i = 0; i < N * D; i++)
        lds->C[i] = W[i % D * N + i / D];
    const bool ok = vdi_vilds_get_covariance(model, "prior.Q", lds->Q, err) == VDI_OK &&
                    vdi_vilds_get_covariance(model, "prior.Q0", lds->Q0, err) == VDI_OK &&
                    vdi_lds_data_create(lds, &dd, &data, err) == VDI_OK &&
                    vdi_lds_log_likelihood(lds, data, NULL, exact, err) == VDI_OK;
    *exact /= B * T;
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
    return ok;
}

static bool page(demo *m, vdi_vilds *model, vdi_vilds_data *data, vdi_error *err) {
    vdi_vilds_result out = {0};
    out.mean = doubles(B * T * D);
    out.cov = doubles(B * T * D * D);
    vdi_page_heading(&m->report.page, 2, "VILDS");
    vdi_page_text(&m->report.page,
                  "Six channels driven by a damped rotation, learnt by stochastic ascent of the "
                  "evidence lower bound. With Gaussian observations and a linear read-out the "
                  "bound can reach log p itself, which a Kalman filter tells for the same "
                  "parameters.");
    const latents_view view = {.trials = B, .T = T, .d = D, .mean = out.mean, .cov = out.cov};
    const bool ok = vdi_vilds_infer(model, data, NULL, &out, err) == VDI_OK &&
                    latents_picture(NULL, &m->report.page, &view, err);
    free(out.mean);
    free(out.cov);
    return ok;
}

bool demo_vilds(demo *m) {
    const double since = seconds_now();
    double *y = observed(m->r->seed), elbo = 0, exact = 0;
    const vdi_tensor seen = vdi_tensor_3d(y, VDI_F64, B, T, N);
    vdi_error err = {0};
    vdi_vilds *model = NULL;
    vdi_vilds_data *data = NULL;
    vdi_vilds_query q = {0};
    q.refine = 20; /* what the encoder leaves to each trial */
    bool ok = make(m, seen, &model, &data, &err) && train(m, model, data, &err) &&
              vdi_vilds_score(model, data, &q, &elbo, &err) == VDI_OK &&
              exact_bound(model, seen, &exact, &err);
    if (ok) {
        const double gap = exact - elbo;
        demo_row(m, "vilds", "log p - refined bound (nats per bin)", gap < -1e-6 ? NAN : gap, 1e-4,
                 1e-3, since, "0: log p is %.5g by a Kalman filter", exact);
    }
    ok = ok && (!m->open || page(m, model, data, &err));
    if (!ok && !interrupted()) (void)fail_error(&err, NULL);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(model);
    free(y);
    return ok;
}
