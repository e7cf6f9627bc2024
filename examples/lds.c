/* examples/lds.c - what was there while nothing was seen: a linear dynamical system learns to
 * bridge a gap
 *
 *     cc -std=c11 -O2 -I.. lds.c -o lds -lm -pthread && ./lds [picture.svg]
 *
 * Five noisy channels follow one rotation. All of them are silent for twenty bins, and a tenth of
 * the other values is missing too. EM learns the dynamics from what is left; the smoother then says
 * what the channels would have shown, and how sure it is.
 */
#define VDI_LDS_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

enum { T = 200, N = 5, D = 2 };
static double y[T][N], truth[T], seen[T], mean[T], low[T], high[T], z[T][D], P[T][D][D];

int main(int argc, char **argv) {
    vdi_rng rng = vdi_rng_make(1, 0);
    for (int t = 0; t < T; t++) {
        bool silent = t >= 90 && t < 110;
        for (int i = 0; i < N; i++) {
            y[t][i] = silent || vdi_rng_bernoulli(&rng, 0.1)
                          ? NAN
                          : sin(0.2 * t + i) + 0.7 * vdi_rng_normal(&rng);
        }
        truth[t] = sin(0.2 * t);
        seen[t] = y[t][0];
    }

    vdi_lds_desc desc = {.d = D, .n = N, .diagonal_r = true};
    vdi_lds_data_desc data_desc = {.y = vdi_tensor_2d(y, VDI_F64, T, N)};
    vdi_lds *lds = NULL;
    vdi_lds_data *data = NULL;
    vdi_error err = {0};
    double before, after, error = 0, inside = 0;
    bool ok = vdi_lds_create(&desc, &lds, &err) == VDI_OK &&
              vdi_lds_data_create(lds, &data_desc, &data, &err) == VDI_OK &&
              vdi_lds_init(lds, data, 1, &err) == VDI_OK &&
              vdi_lds_log_likelihood(lds, data, NULL, &before, &err) == VDI_OK;
    for (int i = 0; ok && i < 200; i++)
        ok = vdi_lds_em_step(lds, data, NULL, &err) == VDI_OK;
    vdi_lds_moments out = {.ms = &z[0][0], .Ps = &P[0][0][0]};
    ok = ok && vdi_lds_log_likelihood(lds, data, NULL, &after, &err) == VDI_OK &&
         vdi_lds_smooth(lds, data, &out, &err) == VDI_OK;

    /* channel 0 without its noise: C_0 z + b_0, with variance C_0 P C_0' */
    for (int t = 0; ok && t < T; t++) {
        double variance = 0;
        mean[t] = lds->b[0];
        for (int i = 0; i < D; i++)
            mean[t] += lds->C[i] * z[t][i];
        for (int i = 0; i < D * D; i++)
            variance += lds->C[i / D] * P[t][i / D][i % D] * lds->C[i % D];
        low[t] = mean[t] - 2 * sqrt(variance);
        high[t] = mean[t] + 2 * sqrt(variance);
        if (t < 90 || t >= 110) continue;
        error += (mean[t] - truth[t]) * (mean[t] - truth[t]) / 20;
        inside += (truth[t] > low[t] && truth[t] < high[t]) / 20.0;
    }
    if (ok) {
        printf("log likelihood per bin: %.3f at the start, %.3f after 200 iterations\n", before / T,
               after / T);
        printf("in the gap: root mean square error %.3f, truth inside two standard deviations in "
               "%.0f %% of the bins\n",
               sqrt(error), 100 * inside);
    }
    if (ok && argc > 1) {
        vdi_figure f;
        vdi_figure_init(&f, NULL);
        vdi_panel *p = vdi_figure_panel(&f, 0, 0);
        static double bin[T];
        for (int t = 0; t < T; t++)
            bin[t] = t;
        p->x.label = "time (bins)";
        p->y.label = "channel 1";
        vdi_panel_scatter(p, "seen", vdi_tensor_1d(bin, VDI_F64, T),
                          vdi_tensor_1d(seen, VDI_F64, T))
            ->color = VDI_COLOR_GREY;
        vdi_panel_band(p, "two standard deviations", vdi_tensor_1d(low, VDI_F64, T),
                       vdi_tensor_1d(high, VDI_F64, T))
            ->color = VDI_COLOR_BLUE;
        vdi_panel_line(p, "inferred", vdi_tensor_1d(mean, VDI_F64, T))->color = VDI_COLOR_BLUE;
        vdi_panel_line(p, "truth", vdi_tensor_1d(truth, VDI_F64, T))->color = VDI_COLOR_VERMILION;
        ok = vdi_svg_save(argv[1], &f, &err) == VDI_OK;
        vdi_figure_free(&f);
    }
    if (!ok) puts(err.message);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
    return !ok || error > 0.3 * 0.3; /* the example is also a test */
}
