/* examples/vdi/demo_flds.c - fLDS: a map that is found from spike counts
 *
 * A walker in the plane; each neuron fires in a place of its own. No rate is monotone in the
 * position, so no log-linear read-out has them all.
 */
#include "demo.h"
#include "vilds.h"

enum { B = 40, HELD = 8, T = 60, N = 24, EDGES = 6, D = 2, TRAIN = B - HELD };

typedef struct walk {
    double *y, *z; /* (B,T,N), (B,T,D) */
    double place[N][D];
} walk;

static double rate_at(const walk *w, const double *now, int j) {
    const double dx = now[0] - w->place[j][0];
    const double dy = now[1] - w->place[j][1];
    const double side = now[0] * w->place[j][0] + now[1] * w->place[j][1];
    const double field =
        j < EDGES ? 1 / (1 + exp(-1.5 * side)) : exp(-(dx * dx + dy * dy) / (2 * 0.7 * 0.7));
    return 0.05 + 2 * field;
}

static walk walked(uint64_t seed) {
    walk w;
    vdi_rng rng = vdi_rng_make(seed, 4);
    w.y = doubles(B * T * N);
    w.z = doubles(B * T * D);
    for (int i = 0; i < N * D; i++)
        w.place[i / D][i % D] = 1.1 * vdi_rng_normal(&rng);
    for (int b = 0; b < B * T; b++) {
        double *now = w.z + b * D;
        demo_rotate(&rng, 0.985, 0.16, sqrt(1 - 0.985 * 0.985), b % T == 0, b ? now - D : now, now);
        for (int j = 0; j < N; j++)
            w.y[b * N + j] = (double)vdi_rng_poisson(&rng, rate_at(&w, now, j));
    }
    return w;
}

static vdi_tensor trials(const walk *w, bool held) {
    return held ? vdi_tensor_3d(w->y + TRAIN * T * N, VDI_F64, HELD, T, N)
                : vdi_tensor_3d(w->y, VDI_F64, TRAIN, T, N);
}

/* The field's baseline: what a Poisson LDS reaches on the trials that are held out, per bin. */
static bool baseline(const demo *m, const walk *w, double *bound, vdi_error *err) {
    vdi_plds_desc desc = {0};
    vdi_plds *plds = NULL;
    vdi_plds_data *counts[2] = {NULL, NULL};
    vdi_plds_data_desc dd = {0};
    desc.d = D;
    desc.n = N;
    dd.pool = m->r->pool;
    bool ok = vdi_plds_create(&desc, &plds, err) == VDI_OK;
    for (int held = 0; ok && held < 2; held++) {
        dd.y = trials(w, held);
        ok = vdi_plds_data_create(plds, &dd, &counts[held], err) == VDI_OK;
    }
    ok = ok && vdi_plds_init(plds, counts[0], 1, err) >= 0;
    for (int i = 0; ok && i < 30; i++)
        ok = vdi_plds_em_step(plds, counts[0], NULL, err) >= 0;
    ok = ok && vdi_plds_elbo(plds, counts[1], NULL, bound, err) >= 0;
    *bound /= HELD * T;
    vdi_plds_data_destroy(counts[0]);
    vdi_plds_data_destroy(counts[1]);
    vdi_plds_destroy(plds);
    return ok;
}

typedef struct network {
    vdi_vilds *model;
    vdi_vilds_data *train, *test;
    double *trace; /* (rows,TRACE_COLUMNS) */
    int64_t rows;
} network;

static bool make(const demo *m, const walk *w, network *n, vdi_error *err) {
    vdi_vilds_desc desc = {0};
    vdi_vilds_data_desc dd = {0};
    desc.d = D;
    desc.n = N;
    desc.pool = m->r->pool;
    desc.train.seed = m->r->seed;
    desc.train.restarts = m->quick ? 6 : 12;
    desc.train.restart_steps = m->quick ? 100 : 200;
    desc.train.steps = m->quick ? 250 : 1000;
    desc = vdi_flds_recipe(&desc, VDI_FLDS_DENSE);
    n->trace = doubles((desc.train.restarts * desc.train.restart_steps + desc.train.steps) *
                       TRACE_COLUMNS);
    dd.y = trials(w, false);
    if (vdi_vilds_create(&desc, &n->model, err) < 0) return false;
    if (vdi_vilds_data_create(n->model, &dd, &n->train, err) < 0) return false;
    dd.y = trials(w, true);
    return vdi_vilds_data_create(n->model, &dd, &n->test, err) == VDI_OK;
}

static bool train(const demo *m, network *n, vdi_error *err) {
    const int64_t each = vdi_vilds_description(n->model)->train.restart_steps;
    vdi_vilds_progress p = {0};
    for (; !interrupted(); n->rows++) {
        const vdi_status status = vdi_vilds_step(n->model, n->train, NULL, &p, err);
        if (status < 0) return false;
        if (status == VDI_END) break;
        double *row = n->trace + n->rows * TRACE_COLUMNS;
        const int64_t which = (p.step - 1) / each;
        row[TRACE_STEP] = (double)p.step;
        row[TRACE_START] = (double)(which < p.starts ? which : p.starts);
        row[TRACE_BOUND] = p.elbo;
        row[TRACE_VALIDATION] = NAN;
        progress(m->r, p.step, p.steps, "fLDS: bound", p.elbo);
    }
    progress_end(m->r);
    return !interrupted();
}

static void map_panel(vdi_figure *f, int side, const double *from, const walk *w) {
    vdi_panel *panel = vdi_figure_panel(f, 0, side);
    static double time[T];
    double *z, *place;
    memcpy(&z, &from, sizeof z); /* a tensor has no const */
    const double *places = &w->place[0][0];
    memcpy(&place, &places, sizeof place);
    for (int t = 0; t < T; t++)
        time[t] = t;
    panel->title = side ? "what the model finds" : "where the walker was";
    panel->x.label = side ? "z1" : "x";
    panel->y.label = side ? "z2" : "y";
    panel->value.label = "time (bins)";
    for (int i = 0; i < HELD; i++) {
        vdi_tensor trial = vdi_tensor_2d(z + i * T * D, VDI_F64, T, D);
        vdi_series *line = vdi_panel_line(panel, NULL, vdi_tensor_index(trial, 1, 1));
        line->x = vdi_tensor_index(trial, 1, 0);
        line->by = vdi_tensor_1d(time, VDI_F64, T);
    }
    if (side) return;
    vdi_tensor all = vdi_tensor_2d(place, VDI_F64, N, D);
    vdi_panel_scatter(panel, "places of the neurons", vdi_tensor_index(all, 1, 0),
                      vdi_tensor_index(all, 1, 1))
        ->color = VDI_COLOR_GREY;
}

static bool page(demo *m, const walk *w, const network *n, const vdi_vilds_result *found,
                 vdi_error *err) {
    vdi_page *p = &m->report.page;
    vdi_figure f;
    vdi_figure_desc desc = {0};
    desc.cols = 2;
    desc.height = 280;
    vdi_figure_init(&f, &desc);
    map_panel(&f, 0, w->z + TRAIN * T * D, w);
    map_panel(&f, 1, found->mean, w);
    vdi_page_heading(p, 2, "fLDS");
    vdi_page_text(p, "A walker in the plane: six neurons fire on one side of it, 18 "
                     "each in a place of its own. From their spike counts alone "
                     "the model finds the plane: trials that it was not trained on, "
                     "known only up to an affine map.");
    vdi_page_figure(p, &f, NULL);
    vdi_figure_free(&f);
    return trace_picture(NULL, p, n->trace, n->rows, err) &&
           rates_picture(NULL, p, T, N, w->y + TRAIN * T * N, found->rate, true, 0, err);
}

bool demo_flds(demo *m) {
    const double since = seconds_now(), least_r2 = m->quick ? 0.6 : 0.85;
    walk w = walked(m->r->seed);
    network n = {0};
    double *work = doubles((int64_t)vdi_score_linear_r2_work(D, D));
    double refined = 0, plds = 0, r2 = 0;
    vdi_error err = {0};
    vdi_vilds_query q = {0};
    vdi_vilds_result found = {0};
    vdi_flds_scores scores = {0};
    found.mean = doubles(B * T * D);
    found.cov = doubles(B * T * D * D);
    found.rate = doubles(B * T * N);
    q.refine = 8;
    bool ok = baseline(m, &w, &plds, &err) && make(m, &w, &n, &err) && train(m, &n, &err) &&
              vdi_flds_canonical(n.model, n.train, &err) == VDI_OK &&
              vdi_vilds_score(n.model, n.test, &q, &refined, &err) == VDI_OK &&
              vdi_flds_score(n.model, n.test, NULL, &scores, &err) == VDI_OK &&
              vdi_vilds_infer(n.model, n.test, &q, &found, &err) == VDI_OK &&
              vdi_score_linear_r2(HELD * T, D, found.mean, D, w.z + TRAIN * T * D, HELD * T, work,
                                  NULL, &r2, &err) == VDI_OK;
    if (ok) {
        demo_row(m, "flds", "held-out bound (nats per bin)", refined, plds + 0.5, plds + 0.2, since,
                 "%.4g by a Poisson LDS, which is log-linear", plds);
        demo_row(m, "flds", "a neuron from the others (bits/spike)", scores.lno_bits, 0.4, 0.3,
                 since, "0 knows the mean rate alone");
        demo_row(m, "flds", "the walker's place: R2", r2, 0.9, least_r2, since,
                 "1 finds it, 0 knows nothing");
    }
    ok = ok && (!m->open || page(m, &w, &n, &found, &err));
    if (!ok && !interrupted()) (void)fail_error(&err, NULL);
    vdi_vilds_data_destroy(n.train);
    vdi_vilds_data_destroy(n.test);
    vdi_vilds_destroy(n.model);
    free(n.trace);
    free(w.y);
    free(w.z);
    free(work);
    free(found.mean);
    free(found.cov);
    free(found.rate);
    return ok;
}
