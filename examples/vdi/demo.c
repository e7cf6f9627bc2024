/* examples/vdi/demo.c - vdi demo: what there is, run on data that it simulates; one table, and a page with pictures
 *
 * One function per family, each adding rows to the table and a section to the page. A row sets a figure beside what it should be, and
 * the demo fails if one is off, so it is a check of the build too.
 */
#include "tool.h"

enum { ROWS = 32 };
typedef struct demo {
    run *r;
    bool quick;
    const char *family[ROWS], *what[ROWS];
    double value[ROWS], reference[ROWS], seconds[ROWS];
    const char *meaning[ROWS]; /* of the reference */
    bool good[ROWS];
    int rows;
    vdi_page page;
    vdi_writer w;
    bool open;
} demo;

static void row(demo *m, const char *family, const char *what, double value, const char *meaning, double reference, bool good, double since) {
    if (m->rows == ROWS) return;
    int i = m->rows++;
    m->family[i] = family, m->what[i] = what, m->value[i] = value, m->meaning[i] = meaning, m->reference[i] = reference, m->good[i] = good;
    m->seconds[i] = seconds_now() - since;
}

/* ---- block-tridiagonal systems: a smooth random walk seen through noise ---------------------------------------------------------- */

static bool demo_blocktri(demo *m) {
    enum { T = 300 };
    static double truth[T], seen[T], D[T], E[T - 1], h[T], x[T], back[T], S[T], low[T], high[T];
    double since = seconds_now(), q = 0.02, r = 0.5;
    vdi_rng rng = vdi_rng_make((uint64_t)option_int(m->r, "seed"), 1);
    for (int t = 0; t < T; t++) {
        truth[t] = (t ? truth[t - 1] : 0) + sqrt(q) * vdi_rng_normal(&rng);
        seen[t] = truth[t] + sqrt(r) * vdi_rng_normal(&rng);
        D[t] = 1 / r + (t + 1 < T ? 2 : 1) / q; /* J = I/r + the walk's precision, h = y/r */
        if (t + 1 < T) E[t] = -1 / q;
        h[t] = seen[t] / r;
    }
    vdi_blocktri_desc desc = {0};
    vdi_blocktri bt;
    vdi_error err = {0};
    desc.dtype = VDI_F64, desc.trials = 1, desc.T = T, desc.d = 1;
    size_t size = vdi_blocktri_memsize(&desc);
    void *mem = malloc(size);
    if (!mem || vdi_blocktri_init(&bt, &desc, mem, size, &err) < 0 || vdi_blocktri_factor(&bt, D, E, &err) < 0) {
        free(mem);
        return fail_error(&err, NULL), false;
    }
    vdi_blocktri_solve(&bt, 1, h, x);
    vdi_blocktri_marginals(&bt, S, NULL);
    vdi_blocktri_matvec(&bt, D, E, 1, x, back);
    free(mem);
    double residual = 0, inside = 0;
    for (int t = 0; t < T; t++) {
        residual = fmax(residual, fabs(back[t] - h[t]));
        low[t] = x[t] - 2 * sqrt(S[t]), high[t] = x[t] + 2 * sqrt(S[t]);
        inside += truth[t] > low[t] && truth[t] < high[t];
    }
    row(m, "blocktri", "largest residual of J x = h", residual, "at most", 1e-10, residual < 1e-10, since);
    row(m, "blocktri", "truth inside two standard deviations", inside / T, "about", 0.954, inside / T > 0.85, since);
    if (m->open) {
        vdi_figure f;
        vdi_figure_init(&f, NULL);
        vdi_panel *p = vdi_figure_panel(&f, 0, 0);
        p->x.label = "time (bins)", p->y.label = "position";
        vdi_panel_band(p, "two standard deviations", vdi_tensor_1d(low, VDI_F64, T), vdi_tensor_1d(high, VDI_F64, T))->color = VDI_COLOR_BLUE;
        vdi_panel_line(p, "posterior mean", vdi_tensor_1d(x, VDI_F64, T))->color = VDI_COLOR_BLUE;
        vdi_panel_line(p, "truth", vdi_tensor_1d(truth, VDI_F64, T))->color = VDI_COLOR_INK;
        vdi_page_heading(&m->page, 2, "Block-tridiagonal solver");
        vdi_page_text(&m->page, "A random walk seen through noise. Its posterior is one symmetric system with three diagonals of blocks; one "
                                "factorisation gives the mean, the variances and the log determinant.");
        vdi_page_figure(&m->page, &f, NULL);
        vdi_figure_free(&f);
    }
    return true;
}

/* ---- linear dynamical system: learnt from data with holes ------------------------------------------------------------------------- */

static bool demo_lds(demo *m) {
    enum { B = 20, T = 120, N = 10, D = 2 };
    const int iterations = m->quick ? 30 : 150;
    double since = seconds_now(), *y = doubles(2 * B * T * N), *z = doubles(2 * B * T * D), *trace = doubles(iterations + 1), truth_ll, ll, complete;
    vdi_error err = {0};
    vdi_lds *truth, *model;
    vdi_lds_data *train, *test, *test_truth;
    vdi_lds_desc desc = {0};
    vdi_lds_data_desc dd = {0};
    uint64_t seed = (uint64_t)option_int(m->r, "seed");
    vdi_rng rng = vdi_rng_make(seed, 2);
    desc.d = D, desc.n = N, desc.diagonal_r = true;
    bool ok = vdi_lds_create(&desc, &truth, &err) == VDI_OK && vdi_lds_create(&desc, &model, &err) == VDI_OK;
    if (!ok) return fail_error(&err, NULL), false;
    double c = 0.98 * cos(0.25), s = 0.98 * sin(0.25), A[4] = {c, -s, s, c};
    memcpy(truth->A, A, sizeof A);
    for (int i = 0; i < N * D; i++) truth->C[i] = vdi_rng_normal(&rng);
    for (int i = 0; i < D; i++) truth->Q[i * D + i] = 0.05;
    double *work = doubles((int64_t)vdi_lds_simulate_work(truth));
    ok = vdi_lds_simulate(truth, seed, 2 * B, T, NULL, work, z, y, &err) == VDI_OK;
    for (int i = 0; i < B * T * N; i++)
        if (vdi_rng_bernoulli(&rng, 0.2)) y[i] = NAN; /* a fifth of the training values is lost */
    dd.pool = m->r->pool;
    dd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
    ok = ok && vdi_lds_data_create(model, &dd, &train, &err) == VDI_OK;
    dd.y = vdi_tensor_3d(y + B * T * N, VDI_F64, B, T, N);
    ok = ok && vdi_lds_data_create(model, &dd, &test, &err) == VDI_OK && vdi_lds_data_create(truth, &dd, &test_truth, &err) == VDI_OK;
    ok = ok && vdi_lds_init(model, train, seed, &err) == VDI_OK;
    double fall = 0;
    for (int i = 0; ok && i < iterations && !interrupted(); i++) {
        ok = vdi_lds_em_step(model, train, &trace[i], &err) == VDI_OK;
        if (i) fall = fmax(fall, trace[i - 1] - trace[i]);
        progress(m->r, i + 1, iterations, "log likelihood per bin", trace[i] / (B * T));
    }
    progress_end(m->r);
    if (interrupted()) return false;
    ok = ok && vdi_lds_log_likelihood(model, test, NULL, &ll, &err) == VDI_OK && vdi_lds_log_likelihood(truth, test_truth, NULL, &truth_ll, &err) == VDI_OK;
    ok = ok && vdi_lds_log_likelihood(model, train, NULL, &complete, &err) == VDI_OK;
    if (!ok) return fail_error(&err, NULL), false;
    trace[iterations] = complete;
    double got = ll / (B * T), want = truth_ll / (B * T);
    row(m, "lds", "largest fall of log p in EM", fall, "at most", 1e-6 * fabs(complete), fall <= 1e-6 * fabs(complete), since);
    row(m, "lds", "held-out log p per bin (nats)", got, "true model", want, got > want - (m->quick ? 0.3 : 0.05), since);
    if (m->open) {
        char *picture = path_join(m->r->out, "latents.svg");
        if (!latents_draw(picture, model, test, trace, iterations, &err)) return fail_error(&err, picture), free(picture), false;
        free(picture);
        vdi_figure f;
        vdi_figure_desc fd = {0};
        fd.rows = 2, fd.height = 120;
        vdi_figure_init(&f, &fd);
        vdi_lds_moments mo = {0};
        double *ms = doubles(B * T * D);
        mo.ms = ms;
        ok = vdi_lds_smooth(model, test, &mo, &err) == VDI_OK;
        vdi_panel *p = vdi_figure_panel(&f, 0, 0);
        p->y.label = "learnt latents", p->x.bare = true;
        for (int k = 0; k < D; k++) vdi_panel_line(p, NULL, vdi_tensor_index(vdi_tensor_2d(ms, VDI_F64, T, D), 1, k));
        p = vdi_figure_panel(&f, 1, 0);
        p->y.label = "true latents", p->x.label = "time (bins)";
        for (int k = 0; k < D; k++) vdi_panel_line(p, NULL, vdi_tensor_index(vdi_tensor_2d(z + B * T * D, VDI_F64, T, D), 1, k));
        vdi_page_heading(&m->page, 2, "Linear dynamical system");
        vdi_page_text(&m->page, "Ten channels driven by a damped rotation in the plane, learnt by exact EM from trials of which a fifth of the values "
                                "is missing. Below, a trial that was not trained on: the learnt latents equal the true ones up to a linear map.");
        vdi_page_figure(&m->page, &f, NULL);
        vdi_figure_free(&f);
        free(ms);
    }
    vdi_lds_data_destroy(train), vdi_lds_data_destroy(test), vdi_lds_data_destroy(test_truth);
    vdi_lds_destroy(truth), vdi_lds_destroy(model);
    free(y), free(z), free(trace), free(work);
    return ok;
}

/* ---- the table ------------------------------------------------------------------------------------------------------------------------ */

static void table_print(const demo *m) {
    printf("%-10s %-38s %12s  %-12s %12s %8s\n", "family", "what", "value", "reference", "", "seconds");
    for (int i = 0; i < m->rows; i++)
        printf("%-10s %-38s %12.5g  %-12s %12.5g %8.2f  %s\n", m->family[i], m->what[i], m->value[i], m->meaning[i], m->reference[i], m->seconds[i],
               m->good[i] ? "ok" : "OFF");
}

static void table_page(demo *m) {
    static const char *const head[] = {"family", "what", "value", "", "reference"};
    static char text[ROWS][2][VDI_TEXT_NUMBER];
    const char *cell[ROWS * 5];
    for (int i = 0; i < m->rows; i++) {
        (void)vdi_text_double(text[i][0], m->value[i], 5);
        (void)vdi_text_double(text[i][1], m->reference[i], 5);
        cell[5 * i] = m->family[i], cell[5 * i + 1] = m->what[i], cell[5 * i + 2] = text[i][0], cell[5 * i + 3] = m->meaning[i];
        cell[5 * i + 4] = text[i][1];
    }
    vdi_page_heading(&m->page, 2, "In figures");
    vdi_page_table(&m->page, head, 5, cell, m->rows);
}

static int demo_main(run *r) {
    static bool (*const family[])(demo *) = {demo_blocktri, demo_lds};
    static demo m;
    vdi_error err = {0};
    char *path = NULL;
    m.r = r;
    m.quick = option_flag(r, "quick");
    if (!run_open_out(r)) return FAILED;
    if (r->out) {
        path = path_join(r->out, "index.html");
        if (vdi_writer_open(&m.w, path, &err) < 0) return fail_error(&err, path);
        m.open = true;
        vdi_page_begin(&m.page, &m.w, "vdi " VDI_VERSION ": a demonstration");
        vdi_page_text(&m.page, "Everything on this page was simulated and computed by one run of vdi demo.");
    }
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof family / sizeof *family; i++) ok = family[i](&m);
    if (m.open) {
        table_page(&m);
        bool written = vdi_page_end(&m.page, &err) == VDI_OK;
        if (vdi_writer_close(&m.w, written ? &err : NULL) < 0) written = false;
        if (!written) return fail_error(&err, path);
    }
    free(path);
    if (!ok) return interrupted() ? INTERRUPTED : FAILED;
    int off = 0;
    for (int i = 0; i < m.rows; i++) off += !m.good[i];
    if (!r->json) table_print(&m);
    else {
        static const char *const keys[] = {"figures", "off"};
        double values[] = {m.rows, off};
        print_results(r, keys, values, 2);
    }
    return off ? fail("%d of %d figures are off", off, m.rows) : DONE;
}

static const option options[] = {{"quick", FLAG, NULL, NULL, "less of everything, for a check of the build"}};
const command demo_command = {
    "demo", "", "", 0, 0, "Run what there is on data that it simulates, and print one table. With --out, also index.html with pictures.",
    "vdi demo --out demo", options, 1, demo_main};
