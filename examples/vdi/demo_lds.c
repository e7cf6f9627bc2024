/* examples/vdi/demo_lds.c - linear dynamical system: learnt from data with holes */
#include "demo.h"

bool demo_lds(demo *m) {
    enum { B = 20, T = 120, N = 10, D = 2 };
    const int iterations = m->quick ? 30 : 150;
    double since = seconds_now();
    double *y = doubles(2 * B * T * N);
    double *z = doubles(2 * B * T * D);
    double *trace = doubles(iterations + 1);
    double truth_ll;
    double ll;
    double complete;
    vdi_error err = {0};
    vdi_lds *truth, *model;
    vdi_lds_data *train, *test, *test_truth;
    vdi_lds_desc desc = {0};
    vdi_lds_data_desc dd = {0};
    uint64_t seed = m->r->seed;
    vdi_rng rng = vdi_rng_make(seed, 2);
    desc.d = D;
    desc.n = N;
    desc.diagonal_r = true;
    bool ok = vdi_lds_create(&desc, &truth, &err) == VDI_OK &&
              vdi_lds_create(&desc, &model, &err) == VDI_OK;
    if (!ok) {
        fail_error(&err, NULL);
        return false;
    }
    double c = 0.98 * cos(0.25), s = 0.98 * sin(0.25), A[4] = {c, -s, s, c};
    memcpy(truth->A, A, sizeof A);
    for (int i = 0; i < N * D; i++)
        truth->C[i] = vdi_rng_normal(&rng);
    for (int i = 0; i < D; i++)
        truth->Q[i * D + i] = 0.05;
    double *work = doubles((int64_t)vdi_lds_simulate_work(truth));
    ok = vdi_lds_simulate(truth, seed, 2 * B, T, NULL, work, z, y, &err) == VDI_OK;
    for (int i = 0; i < B * T * N; i++)
        if (vdi_rng_bernoulli(&rng, 0.2)) y[i] = NAN; /* a fifth of the training values is lost */
    dd.pool = m->r->pool;
    dd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
    ok = ok && vdi_lds_data_create(model, &dd, &train, &err) == VDI_OK;
    dd.y = vdi_tensor_3d(y + B * T * N, VDI_F64, B, T, N);
    ok = ok && vdi_lds_data_create(model, &dd, &test, &err) == VDI_OK &&
         vdi_lds_data_create(truth, &dd, &test_truth, &err) == VDI_OK;
    ok = ok && vdi_lds_init(model, train, seed, &err) == VDI_OK;
    double fall = 0;
    for (int i = 0; ok && i < iterations && !interrupted(); i++) {
        ok = vdi_lds_em_step(model, train, &trace[i], &err) == VDI_OK;
        if (i) fall = fmax(fall, trace[i - 1] - trace[i]);
        progress(m->r, i + 1, iterations, "log likelihood per bin", trace[i] / (B * T));
    }
    progress_end(m->r);
    if (interrupted()) return false;
    ok = ok && vdi_lds_log_likelihood(model, test, NULL, &ll, &err) == VDI_OK &&
         vdi_lds_log_likelihood(truth, test_truth, NULL, &truth_ll, &err) == VDI_OK;
    ok = ok && vdi_lds_log_likelihood(model, train, NULL, &complete, &err) == VDI_OK;
    if (!ok) {
        fail_error(&err, NULL);
        return false;
    }
    trace[iterations] = complete;
    double got = ll / (B * T), want = truth_ll / (B * T);
    demo_row(m, "lds", "largest fall of log p in EM", fall, "at most", 1e-6 * fabs(complete),
             fall <= 1e-6 * fabs(complete), since);
    demo_row(m, "lds", "held-out log p per bin (nats)", got, "true model", want,
             got > want - (m->quick ? 0.3 : 0.05), since);
    if (m->open) {
        char *picture = path_join(m->r->out, "latents.svg");
        if (!latents_draw(picture, model, test, trace, iterations, &err)) {
            fail_error(&err, picture);
            free(picture);
            return false;
        }
        free(picture);
        vdi_figure f;
        vdi_figure_desc fd = {0};
        fd.rows = 2;
        fd.height = 120;
        vdi_figure_init(&f, &fd);
        vdi_lds_moments mo = {0};
        double *ms = doubles(B * T * D);
        mo.ms = ms;
        ok = vdi_lds_smooth(model, test, &mo, &err) == VDI_OK;
        vdi_panel *p = vdi_figure_panel(&f, 0, 0);
        p->y.label = "learnt latents";
        p->x.bare = true;
        for (int k = 0; k < D; k++)
            vdi_panel_line(p, NULL, vdi_tensor_index(vdi_tensor_2d(ms, VDI_F64, T, D), 1, k));
        p = vdi_figure_panel(&f, 1, 0);
        p->y.label = "true latents";
        p->x.label = "time (bins)";
        for (int k = 0; k < D; k++) {
            vdi_panel_line(p, NULL,
                           vdi_tensor_index(vdi_tensor_2d(z + B * T * D, VDI_F64, T, D), 1, k));
        }
        vdi_page_heading(&m->report.page, 2, "Linear dynamical system");
        vdi_page_text(&m->report.page,
                      "Ten channels driven by a damped rotation in the plane, learnt by "
                      "exact EM from trials of which a fifth of the values "
                      "is missing. Below, a trial that was not trained on: the learnt "
                      "latents equal the true ones up to a linear map.");
        vdi_page_figure(&m->report.page, &f, NULL);
        vdi_figure_free(&f);
        free(ms);
    }
    vdi_lds_data_destroy(train);
    vdi_lds_data_destroy(test);
    vdi_lds_data_destroy(test_truth);
    vdi_lds_destroy(truth);
    vdi_lds_destroy(model);
    free(y);
    free(z);
    free(trace);
    free(work);
    return ok;
}
