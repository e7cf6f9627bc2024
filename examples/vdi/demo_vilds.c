/* examples/vdi/demo_vilds.c - variational inference: a bound that is met, and a map that is found
 * from spike counts */
#include "demo.h"
#include "vilds.h"

/* ---- VILDS: where the truth is known --------------------------------------------------------- */

/* Gaussian observations through a linear read-out: the posterior is Gaussian, so nothing but
 * training stands between the bound and log p.
 */
bool demo_vilds(demo *m) {
    enum { B = 30, T = 80, N = 6, D = 2 };
    double since = seconds_now();
    double *y = doubles(B * T * N);
    double *z = doubles(B * T * D);
    double elbo = 0;
    double exact = 0;
    double C[N][D];
    vdi_error err = {0};
    vdi_vilds_desc desc = {0};
    vdi_vilds *model = NULL;
    vdi_vilds_data *data = NULL;
    vdi_vilds_data_desc dd = {0};
    vdi_rng rng = vdi_rng_make(m->r->seed, 3);
    for (int i = 0; i < N * D; i++)
        C[i / D][i % D] = vdi_rng_normal(&rng);
    for (int b = 0; b < B * T; b++) {
        double c = 0.97 * cos(0.3);
        double s = 0.97 * sin(0.3);
        double *now = z + b * D;
        double *was = now - D;
        for (int i = 0; i < D; i++) {
            double e = vdi_rng_normal(&rng);
            now[i] =
                b % T == 0 ? e : (i ? s * was[0] + c * was[1] : c * was[0] - s * was[1]) + 0.25 * e;
        }
        for (int j = 0; j < N; j++)
            y[b * N + j] = C[j][0] * now[0] + C[j][1] * now[1] + 0.7 * vdi_rng_normal(&rng);
    }
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
    dd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
    bool ok = vdi_vilds_create(&desc, &model, &err) == VDI_OK &&
              vdi_vilds_data_create(model, &dd, &data, &err) == VDI_OK;
    vdi_vilds_progress p = {0};
    for (vdi_status status = VDI_OK; ok && status != VDI_END && !interrupted();) {
        status = vdi_vilds_step(model, data, NULL, &p, &err);
        ok = status >= 0;
        if (ok && status != VDI_END) progress(m->r, p.step, p.steps, "VILDS: bound", p.elbo);
    }
    progress_end(m->r);
    vdi_vilds_query q = {0};
    q.refine = 20; /* what the encoder leaves to each trial */
    ok = ok && !interrupted() && vdi_vilds_score(model, data, &q, &elbo, &err) == VDI_OK;
    /* the same parameters in a Kalman filter */
    vdi_lds *lds = NULL;
    vdi_lds_data *ld = NULL;
    vdi_lds_desc ldesc = {0};
    vdi_lds_data_desc ldd = {0};
    ldesc.d = D;
    ldesc.n = N;
    ldesc.diagonal_r = true;
    ldd.y = dd.y;
    ok = ok && vdi_lds_create(&ldesc, &lds, &err) == VDI_OK;
    if (ok) {
        vdi_params *params = vdi_vilds_params(model);
        const double *A = (const double *)vdi_params_find(params, "prior.A")->value.data;
        const double *x0 = (const double *)vdi_params_find(params, "prior.x0")->value.data;
        const double *sd = (const double *)vdi_params_find(params, "obs.log_sd")->value.data;
        const double *W = (const double *)vdi_params_find(params, "decoder.0.weight")->value.data;
        const double *b = (const double *)vdi_params_find(params, "decoder.0.bias")->value.data;
        memcpy(lds->A, A, D * D * sizeof *A);
        memcpy(lds->x0, x0, D * sizeof *x0);
        memcpy(lds->b, b, N * sizeof *b);
        for (int j = 0; j < N; j++)
            lds->R[j * N + j] = exp(2 * sd[j]);
        for (int i = 0; i < N * D; i++)
            lds->C[i] = W[i % D * N + i / D];
        ok = vdi_vilds_get_covariance(model, "prior.Q", lds->Q, &err) == VDI_OK &&
             vdi_vilds_get_covariance(model, "prior.Q0", lds->Q0, &err) == VDI_OK &&
             vdi_lds_data_create(lds, &ldd, &ld, &err) == VDI_OK &&
             vdi_lds_log_likelihood(lds, ld, NULL, &exact, &err) == VDI_OK;
        exact /= B * T;
    }
    if (ok) {
        double gap = exact - elbo;
        demo_row(m, "vilds", "refined bound (nats per bin)", elbo, "exact log p", exact,
                 gap > -1e-6 && gap < 1e-3, since);
    } else if (!interrupted()) {
        (void)fail_error(&err, NULL);
    }
    if (ok && m->open) {
        double *mean = doubles(B * T * D), *cov = doubles(B * T * D * D);
        vdi_vilds_result out = {0};
        out.mean = mean;
        out.cov = cov;
        vdi_page_heading(&m->report.page, 2, "VILDS");
        vdi_page_text(&m->report.page,
                      "Six channels driven by a damped rotation, learnt by stochastic "
                      "ascent of the evidence lower bound. With Gaussian "
                      "observations and a linear read-out the bound can reach log p "
                      "itself, which a Kalman filter tells for the same parameters.");
        ok = vdi_vilds_infer(model, data, NULL, &out, &err) == VDI_OK &&
             latents_picture(NULL, &m->report.page, B, T, D, NULL, mean, cov, NULL, &err);
        if (!ok) (void)fail_error(&err, NULL);
        free(mean);
        free(cov);
    }
    vdi_lds_data_destroy(ld);
    vdi_lds_destroy(lds);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(model);
    free(y);
    free(z);
    return ok;
}

/* ---- fLDS: a map from spike counts ----------------------------------------------------------- */

/* A walker in the plane; each neuron fires in a place of its own. No rate is monotone in the
 * position, so no log-linear read-out has them all. */
bool demo_flds(demo *m) {
    enum { B = 40, HELD = 8, T = 60, N = 24, EDGES = 6, D = 2, TRAIN = B - HELD };
    double since = seconds_now();
    double *y = doubles(B * T * N);
    double *z = doubles(B * T * D);
    double *mean = doubles(B * T * D);
    double *cov = doubles(B * T * D * D);
    double *rate = doubles(B * T * N);
    double place[N][D];
    double *work = doubles((int64_t)vdi_score_linear_r2_work(D, D));
    double refined = 0;
    double plds_sum = 0;
    double r2 = 0;
    double *trace;
    vdi_error err = {0};
    vdi_rng rng = vdi_rng_make(m->r->seed, 4);
    for (int i = 0; i < N * D; i++)
        place[i / D][i % D] = 1.1 * vdi_rng_normal(&rng);
    for (int b = 0; b < B * T; b++) {
        const double c = 0.985 * cos(0.16), s = 0.985 * sin(0.16), noise = sqrt(1 - 0.985 * 0.985);
        double *now = z + b * D, *was = now - D;
        for (int i = 0; i < D; i++) {
            double e = vdi_rng_normal(&rng);
            now[i] = b % T == 0
                         ? e
                         : (i ? s * was[0] + c * was[1] : c * was[0] - s * was[1]) + noise * e;
        }
        for (int j = 0; j < N; j++) {
            double dx = now[0] - place[j][0];
            double dy = now[1] - place[j][1];
            double side = now[0] * place[j][0] + now[1] * place[j][1];
            double field = j < EDGES ? 1 / (1 + exp(-1.5 * side))
                                     : exp(-(dx * dx + dy * dy) / (2 * 0.7 * 0.7));
            y[b * N + j] = (double)vdi_rng_poisson(&rng, 0.05 + 2 * field);
        }
    }

    /* the field's baseline */
    vdi_plds_desc pdesc = {0};
    vdi_plds *plds = NULL;
    vdi_plds_data *counts[2] = {NULL, NULL};
    vdi_plds_data_desc pdd = {0};
    pdesc.d = D;
    pdesc.n = N;
    pdd.pool = m->r->pool;
    pdd.y = vdi_tensor_3d(y, VDI_F64, TRAIN, T, N);
    bool ok = vdi_plds_create(&pdesc, &plds, &err) == VDI_OK &&
              vdi_plds_data_create(plds, &pdd, &counts[0], &err) == VDI_OK;
    pdd.y = vdi_tensor_3d(y + TRAIN * T * N, VDI_F64, HELD, T, N);
    ok = ok && vdi_plds_data_create(plds, &pdd, &counts[1], &err) == VDI_OK &&
         vdi_plds_init(plds, counts[0], 1, &err) >= 0;
    for (int i = 0; ok && i < 30; i++)
        ok = vdi_plds_em_step(plds, counts[0], NULL, &err) >= 0;
    ok = ok && vdi_plds_elbo(plds, counts[1], NULL, &plds_sum, &err) >= 0;

    vdi_vilds_desc desc = {0};
    vdi_vilds *model = NULL;
    vdi_vilds_data *train = NULL, *test = NULL;
    vdi_vilds_data_desc dd = {0};
    desc.d = D;
    desc.n = N;
    desc.pool = m->r->pool;
    desc.train.seed = m->r->seed;
    desc.train.restarts = m->quick ? 6 : 12;
    desc.train.restart_steps = m->quick ? 100 : 200;
    desc.train.steps = m->quick ? 250 : 1000;
    desc = vdi_flds_recipe(&desc, VDI_FLDS_DENSE);
    dd.y = vdi_tensor_3d(y, VDI_F64, TRAIN, T, N);
    ok = ok && vdi_vilds_create(&desc, &model, &err) == VDI_OK &&
         vdi_vilds_data_create(model, &dd, &train, &err) == VDI_OK;
    dd.y = vdi_tensor_3d(y + TRAIN * T * N, VDI_F64, HELD, T, N);
    ok = ok && vdi_vilds_data_create(model, &dd, &test, &err) == VDI_OK;
    vdi_vilds_progress p = {0};
    int64_t rows = 0;
    trace = doubles((desc.train.restarts * desc.train.restart_steps + desc.train.steps) *
                    TRACE_COLUMNS);
    for (vdi_status status = VDI_OK; ok && !interrupted(); rows++) {
        status = vdi_vilds_step(model, train, NULL, &p, &err);
        ok = status >= 0;
        if (!ok || status == VDI_END) break;
        double *row = trace + rows * TRACE_COLUMNS;
        int64_t which = (p.step - 1) / desc.train.restart_steps;
        row[TRACE_STEP] = (double)p.step;
        row[TRACE_START] = (double)(which < p.starts ? which : p.starts);
        row[TRACE_BOUND] = p.elbo;
        row[TRACE_VALIDATION] = NAN;
        progress(m->r, p.step, p.steps, "fLDS: bound", p.elbo);
    }
    progress_end(m->r);
    vdi_vilds_query q = {0};
    vdi_vilds_result out = {0};
    vdi_flds_scores scores = {0};
    out.mean = mean;
    out.cov = cov;
    out.rate = rate;
    q.refine = 8;
    ok = ok && !interrupted() && vdi_flds_canonical(model, train, &err) == VDI_OK &&
         vdi_vilds_score(model, test, &q, &refined, &err) == VDI_OK &&
         vdi_flds_score(model, test, NULL, &scores, &err) == VDI_OK &&
         vdi_vilds_infer(model, test, &q, &out, &err) == VDI_OK &&
         vdi_score_linear_r2(HELD * T, D, mean, D, z + TRAIN * T * D, HELD * T, work, NULL, &r2,
                             &err) == VDI_OK;
    if (ok) {
        double baseline = plds_sum / (HELD * T);
        demo_row(m, "flds", "held-out bound (nats per bin)", refined, "Poisson LDS", baseline,
                 refined > baseline + (m->quick ? 0.2 : 0.5), since);
        demo_row(m, "flds", "a neuron from the others (bits/spike)", scores.lno_bits, "at least",
                 0.3, scores.lno_bits > 0.3, since);
        demo_row(m, "flds", "the map found, up to affine: R2", r2, "at least",
                 m->quick ? 0.6 : 0.85, r2 > (m->quick ? 0.6 : 0.85), since);
    } else if (!interrupted()) {
        (void)fail_error(&err, NULL);
    }
    if (ok && m->open) {
        vdi_figure f;
        vdi_figure_desc fd = {0};
        fd.cols = 2;
        fd.height = 280;
        vdi_figure_init(&f, &fd);
        for (int side = 0; side < 2; side++) {
            vdi_panel *panel = vdi_figure_panel(&f, 0, side);
            double *from = side ? mean : z + TRAIN * T * D, *x = doubles(T);
            for (int t = 0; t < T; t++)
                x[t] = t;
            panel->title = side ? "what the model finds" : "where the walker was";
            panel->x.label = side ? "z1" : "x";
            panel->y.label = side ? "z2" : "y";
            panel->value.label = "time (bins)";
            for (int i = 0; i < HELD; i++) {
                vdi_tensor trial = vdi_tensor_2d(from + i * T * D, VDI_F64, T, D);
                vdi_series *line = vdi_panel_line(panel, NULL, vdi_tensor_index(trial, 1, 1));
                line->x = vdi_tensor_index(trial, 1, 0);
                line->by = vdi_tensor_1d(x, VDI_F64, T);
            }
            if (!side) {
                vdi_tensor all = vdi_tensor_2d(place, VDI_F64, N, D);
                vdi_panel_scatter(panel, "places of the neurons", vdi_tensor_index(all, 1, 0),
                                  vdi_tensor_index(all, 1, 1))
                    ->color = VDI_COLOR_GREY;
            }
        }
        vdi_page_heading(&m->report.page, 2, "fLDS");
        vdi_page_text(&m->report.page,
                      "A walker in the plane: six neurons fire on one side of it, 18 "
                      "each in a place of its own. From their spike counts alone "
                      "the model finds the plane: trials that it was not trained on, "
                      "known only up to an affine map.");
        vdi_page_figure(&m->report.page, &f, NULL);
        vdi_figure_free(&f);
        ok = trace_picture(NULL, &m->report.page, trace, rows, &err) &&
             rates_picture(NULL, &m->report.page, T, N, y + TRAIN * T * N, rate, true, &err);
        if (!ok) (void)fail_error(&err, NULL);
    }
    vdi_plds_data_destroy(counts[0]);
    vdi_plds_data_destroy(counts[1]);
    vdi_plds_destroy(plds);
    vdi_vilds_data_destroy(train);
    vdi_vilds_data_destroy(test);
    vdi_vilds_destroy(model);
    free(y);
    free(z);
    free(mean);
    free(cov);
    free(rate);
    free(work);
    free(trace);
    return ok;
}
