/* examples/vdi/latents.c - the picture of a fitted linear dynamical system */
#include "tool.h"

/* Smoothed latents of the first trials (mean and two standard deviations) over bins, and the log
 * likelihood over iterations. */
bool latents_draw(const char *path, const vdi_lds *lds, vdi_lds_data *data, const double *trace,
                  int64_t iterations, vdi_error *err) {
    const int64_t d = lds->desc.d;
    const int64_t T = vdi_lds_data_bins(data);
    const int64_t trials = vdi_lds_data_trials(data);
    const int64_t shown = d < 6 ? d : 6;
    double *ms = doubles(trials * T * d);
    double *Ps = doubles(vdi_lds_data_lanes(data) * T * d * d);
    double *low = doubles(shown * T);
    double *high = doubles(shown * T);
    double *copy = doubles(iterations + 1), bins = (double)vdi_lds_data_observed_bins(data);
    vdi_lds_moments m = {0};
    m.ms = ms;
    m.Ps = Ps;
    bool ok = vdi_lds_smooth(lds, data, &m, err) == VDI_OK;
    vdi_figure_desc desc = {0};
    vdi_figure f;
    desc.rows = (int)shown + (iterations > 0);
    desc.cols = 1;
    desc.height = 90;
    desc.title = "Smoothed latents, first trial, with two standard deviations";
    vdi_figure_init(&f, &desc);
    for (int64_t k = 0; k < shown; k++) {
        vdi_panel *p = vdi_figure_panel(&f, (int)k, 0);
        p->y.label = vdi_figure_text(&f, "z%d", (int)k + 1);
        if (k + 1 < shown)
            p->x.bare = true;
        else
            p->x.label = "time (bins)";
        for (int64_t t = 0; t < T; t++) {
            const double *P = Ps + (vdi_lds_data_lane(data, 0) * T + t) * d * d;
            double sd = sqrt(P[k * d + k]);
            low[k * T + t] = ms[t * d + k] - 2 * sd;
            high[k * T + t] = ms[t * d + k] + 2 * sd;
        }
        vdi_tensor mean = vdi_tensor_2d(ms, VDI_F64, T, d);
        vdi_panel_band(p, NULL, vdi_tensor_1d(low + k * T, VDI_F64, T),
                       vdi_tensor_1d(high + k * T, VDI_F64, T))
            ->color = VDI_COLOR_BLUE;
        vdi_panel_line(p, NULL, vdi_tensor_index(mean, 1, k))->color = VDI_COLOR_BLUE;
    }
    if (iterations > 0) {
        vdi_panel *p = vdi_figure_panel(&f, (int)shown, 0);
        p->x.label = "iteration of EM";
        p->y.label = "log p / bin";
        for (int64_t i = 0; i <= iterations; i++)
            copy[i] = trace[i] / bins;
        vdi_panel_line(p, NULL, vdi_tensor_1d(copy, VDI_F64, iterations + 1))->color =
            VDI_COLOR_VERMILION;
    }
    ok = ok && save_svg(path, &f, err);
    vdi_figure_free(&f);
    free(ms);
    free(Ps);
    free(low);
    free(high);
    free(copy);
    return ok;
}
