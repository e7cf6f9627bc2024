/* examples/vdi/demo_lds.c - linear dynamical system: learnt from data with holes */
#include "demo.h"

enum { B = 20, T = 120, N = 10, D = 2 };

typedef struct learning {
    double *y, *z; /* (2 B,T,N), (2 B,T,D): the second half is for the test */
    vdi_lds *truth, *model;
    vdi_lds_data *train, *test, *test_truth;
} learning;

/* A damped rotation in the plane behind ten channels; a fifth of the training values is lost. */
static bool make(const demo *m, learning *l, vdi_error *err) {
    vdi_lds_desc desc = {0};
    vdi_lds_data_desc dd = {0};
    vdi_rng rng = vdi_rng_make(m->r->seed, 2);
    desc.d = D;
    desc.n = N;
    desc.diagonal_r = true;
    if (vdi_lds_create(&desc, &l->truth, err) < 0 || vdi_lds_create(&desc, &l->model, err) < 0)
        return false;
    const double c = 0.98 * cos(0.25), s = 0.98 * sin(0.25), A[4] = {c, -s, s, c};
    memcpy(l->truth->A, A, sizeof A);
    for (int i = 0; i < N * D; i++)
        l->truth->C[i] = vdi_rng_normal(&rng);
    for (int i = 0; i < D; i++)
        l->truth->Q[i * D + i] = 0.05;
    l->y = doubles(2 * B * T * N);
    l->z = doubles(2 * B * T * D);
    double *work = doubles((int64_t)vdi_lds_simulate_work(l->truth));
    bool ok =
        vdi_lds_simulate(l->truth, m->r->seed, 2 * B, T, NULL, work, l->z, l->y, err) == VDI_OK;
    free(work);
    for (int i = 0; i < B * T * N; i++)
        if (vdi_rng_bernoulli(&rng, 0.2)) l->y[i] = NAN;
    dd.pool = m->r->pool;
    dd.y = vdi_tensor_3d(l->y, VDI_F64, B, T, N);
    ok = ok && vdi_lds_data_create(l->model, &dd, &l->train, err) == VDI_OK;
    dd.y = vdi_tensor_3d(l->y + B * T * N, VDI_F64, B, T, N);
    return ok && vdi_lds_data_create(l->model, &dd, &l->test, err) == VDI_OK &&
           vdi_lds_data_create(l->truth, &dd, &l->test_truth, err) == VDI_OK;
}

/* The log likelihood before each iteration and after the last; *fall is the largest in one. */
static bool learn(const demo *m, learning *l, int iterations, double *trace, double *fall,
                  vdi_error *err) {
    if (vdi_lds_init(l->model, l->train, m->r->seed, err) < 0) return false;
    for (int i = 0; i < iterations && !interrupted(); i++) {
        if (vdi_lds_em_step(l->model, l->train, &trace[i], err) < 0) return false;
        if (i) *fall = fmax(*fall, trace[i - 1] - trace[i]);
        progress(m->r, i + 1, iterations, "log likelihood per bin", trace[i] / (B * T));
    }
    progress_end(m->r);
    return !interrupted() &&
           vdi_lds_log_likelihood(l->model, l->train, NULL, &trace[iterations], err) == VDI_OK;
}

static void latents_panel(vdi_figure *f, int row, const char *label, double *z) {
    vdi_panel *p = vdi_figure_panel(f, row, 0);
    p->y.label = label;
    if (row == 0)
        p->x.bare = true;
    else
        p->x.label = "time (bins)";
    for (int k = 0; k < D; k++)
        vdi_panel_line(p, NULL, vdi_tensor_index(vdi_tensor_2d(z, VDI_F64, T, D), 1, k));
}

static bool page(demo *m, learning *l, const double *trace, int iterations, vdi_error *err) {
    vdi_figure f;
    vdi_figure_desc desc = {0};
    vdi_lds_moments moments = {0};
    char *picture = path_join(m->r->out, "latents.svg");
    bool ok = latents_draw(picture, l->model, l->test, trace, iterations, err);
    free(picture);
    desc.rows = 2;
    desc.height = 120;
    vdi_figure_init(&f, &desc);
    moments.ms = doubles(B * T * D);
    ok = ok && vdi_lds_smooth(l->model, l->test, &moments, err) == VDI_OK;
    latents_panel(&f, 0, "learnt latents", moments.ms);
    latents_panel(&f, 1, "true latents", l->z + B * T * D);
    vdi_page_heading(&m->report.page, 2, "Linear dynamical system");
    vdi_page_text(&m->report.page,
                  "Ten channels driven by a damped rotation in the plane, learnt by exact EM from "
                  "trials of which a fifth of the values is missing. Below, a trial that was not "
                  "trained on: the learnt latents equal the true ones up to a linear map.");
    vdi_page_figure(&m->report.page, &f, NULL);
    vdi_figure_free(&f);
    free(moments.ms);
    return ok;
}

bool demo_lds(demo *m) {
    const int iterations = m->quick ? 30 : 150;
    const double since = seconds_now();
    double *trace = doubles(iterations + 1), truth_ll = 0, ll = 0, fall = 0;
    vdi_error err = {0};
    learning l = {0};
    bool ok = make(m, &l, &err) && learn(m, &l, iterations, trace, &fall, &err) &&
              vdi_lds_log_likelihood(l.model, l.test, NULL, &ll, &err) == VDI_OK &&
              vdi_lds_log_likelihood(l.truth, l.test_truth, NULL, &truth_ll, &err) == VDI_OK;
    if (ok) {
        const double got = ll / (B * T), want = truth_ll / (B * T);
        const double most = 1e-6 * fabs(trace[iterations]);
        demo_row(m, "lds", "largest fall of log p in EM", fall, most, most, since,
                 "0: it only rises, but for rounding");
        demo_row(m, "lds", "held-out log p per bin (nats)", got, want - 0.05,
                 want - (m->quick ? 0.3 : 0.1), since, "%.4g by the true model", want);
    }
    ok = ok && (!m->open || page(m, &l, trace, iterations, &err));
    if (!ok && !interrupted()) (void)fail_error(&err, NULL);
    vdi_lds_data_destroy(l.train);
    vdi_lds_data_destroy(l.test);
    vdi_lds_data_destroy(l.test_truth);
    vdi_lds_destroy(l.truth);
    vdi_lds_destroy(l.model);
    free(l.y);
    free(l.z);
    free(trace);
    return ok;
}
