/* examples/vdi/latents.c - the picture of a fitted linear dynamical system */
#include "tool.h"

enum { LATENTS = 6, BINS = 5000 }; /* that are drawn, at most */

/* The first bins of the first trial. */
typedef struct drawn {
    int64_t d, latents, bins;
    double *mean, *low, *high; /* (latents,bins) */
} drawn;

static vdi_status drawn_take(void *user, const vdi_lds_stretch *s, vdi_error *err) {
    drawn *to = (drawn *)user;
    const int64_t d = to->d;
    (void)err;
    for (int64_t t = 0; s->trial == 0 && t < s->bins && s->first + t < to->bins; t++) {
        for (int64_t k = 0; k < to->latents; k++) {
            const int64_t at = k * to->bins + s->first + t;
            const double m = s->ms[t * d + k], sd = sqrt(s->Ps[(t * d + k) * d + k]);
            to->mean[at] = m;
            to->low[at] = m - 2 * sd;
            to->high[at] = m + 2 * sd;
        }
    }
    return VDI_OK;
}

/* Smoothed latents of the first trial (mean and two standard deviations) over bins, and the log
 * likelihood over iterations. */
bool latents_draw(const char *path, const vdi_lds *lds, vdi_lds_data *data, const double *trace,
                  int64_t iterations, vdi_error *err) {
    const int64_t d = lds->desc.d, T = vdi_lds_data_bins(data);
    drawn z = {d, d < LATENTS ? d : LATENTS, T < BINS ? T : BINS, NULL, NULL, NULL};
    double *copy = doubles(iterations + 1), bins = (double)vdi_lds_data_observed_bins(data);
    z.mean = doubles(z.latents * z.bins);
    z.low = doubles(z.latents * z.bins);
    z.high = doubles(z.latents * z.bins);
    bool ok = vdi_lds_smooth_each(lds, data, drawn_take, &z, NULL, err) == VDI_OK;
    vdi_figure_desc desc = {0};
    vdi_figure f;
    desc.rows = (int)z.latents + (iterations > 0);
    desc.cols = 1;
    desc.height = 90;
    desc.title = "Smoothed latents, first trial, with two standard deviations";
    vdi_figure_init(&f, &desc);
    for (int64_t k = 0; k < z.latents; k++) {
        vdi_panel *p = vdi_figure_panel(&f, (int)k, 0);
        p->y.label = vdi_figure_text(&f, "z%d", (int)k + 1);
        if (k + 1 < z.latents)
            p->x.bare = true;
        else
            p->x.label = z.bins < T ? "time (bins), the first of them" : "time (bins)";
        vdi_panel_band(p, NULL, vdi_tensor_1d(z.low + k * z.bins, VDI_F64, z.bins),
                       vdi_tensor_1d(z.high + k * z.bins, VDI_F64, z.bins))
            ->color = VDI_COLOR_BLUE;
        vdi_panel_line(p, NULL, vdi_tensor_1d(z.mean + k * z.bins, VDI_F64, z.bins))->color =
            VDI_COLOR_BLUE;
    }
    if (iterations > 0) {
        vdi_panel *p = vdi_figure_panel(&f, (int)z.latents, 0);
        p->x.label = "iteration of EM";
        p->y.label = "log p / bin";
        for (int64_t i = 0; i <= iterations; i++)
            copy[i] = trace[i] / bins;
        vdi_panel_line(p, NULL, vdi_tensor_1d(copy, VDI_F64, iterations + 1))->color =
            VDI_COLOR_VERMILION;
    }
    ok = ok && save_svg(path, &f, err);
    vdi_figure_free(&f);
    double *own[] = {z.mean, z.low, z.high, copy};
    for (int i = 0; i < (int)VDI__COUNT(own); i++)
        free(own[i]);
    return ok;
}
