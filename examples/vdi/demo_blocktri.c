/* examples/vdi/demo_blocktri.c - block-tridiagonal systems: a smooth random walk seen through
 * noise */
#include "demo.h"

bool demo_blocktri(demo *m) {
    enum { T = 300 };
    static double truth[T], seen[T], D[T], E[T - 1], h[T], x[T], back[T], S[T], low[T], high[T];
    double since = seconds_now(), q = 0.02, r = 0.5;
    vdi_rng rng = vdi_rng_make(m->r->seed, 1);
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
    desc.dtype = VDI_F64;
    desc.trials = 1;
    desc.T = T;
    desc.d = 1;
    size_t size = vdi_blocktri_memsize(&desc);
    void *mem = malloc(size);
    if (!mem || vdi_blocktri_init(&bt, &desc, mem, size, &err) < 0 ||
        vdi_blocktri_factor(&bt, D, E, &err) < 0) {
        free(mem);
        fail_error(&err, NULL);
        return false;
    }
    vdi_blocktri_solve(&bt, 1, h, x);
    vdi_blocktri_marginals(&bt, S, NULL);
    vdi_blocktri_matvec(&bt, D, E, 1, x, back);
    free(mem);
    double residual = 0, inside = 0;
    for (int t = 0; t < T; t++) {
        residual = fmax(residual, fabs(back[t] - h[t]));
        low[t] = x[t] - 2 * sqrt(S[t]);
        high[t] = x[t] + 2 * sqrt(S[t]);
        inside += truth[t] > low[t] && truth[t] < high[t];
    }
    demo_row(m, "blocktri", "largest residual of J x = h", residual, 1e-12, 1e-10, since,
             "0 but for rounding");
    demo_row(m, "blocktri", "truth inside two standard deviations", inside / T, 0.9, 0.85, since,
             "0.954 of a Gaussian is");
    if (m->open) {
        vdi_figure f;
        vdi_figure_init(&f, NULL);
        vdi_panel *p = vdi_figure_panel(&f, 0, 0);
        p->x.label = "time (bins)";
        p->y.label = "position";
        vdi_panel_band(p, "two standard deviations", vdi_tensor_1d(low, VDI_F64, T),
                       vdi_tensor_1d(high, VDI_F64, T))
            ->color = VDI_COLOR_BLUE;
        vdi_panel_line(p, "posterior mean", vdi_tensor_1d(x, VDI_F64, T))->color = VDI_COLOR_BLUE;
        vdi_panel_line(p, "truth", vdi_tensor_1d(truth, VDI_F64, T))->color = VDI_COLOR_INK;
        vdi_page_heading(&m->report.page, 2, "Block-tridiagonal solver");
        vdi_page_text(&m->report.page,
                      "A random walk seen through noise. Its posterior is one symmetric system "
                      "with three diagonals of blocks; one "
                      "factorisation gives the mean, the variances and the log determinant.");
        vdi_page_figure(&m->report.page, &f, NULL);
        vdi_figure_free(&f);
    }
    return true;
}
