/* examples/lds.c - a linear dynamical system bridges a gap in which nothing is seen
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/lds.c -o lds -lm -pthread && ./lds [picture.svg]
 *
 * Five noisy channels follow one rotation. All of them are silent for twenty bins, and a tenth of
 * the other values is missing too. EM learns the dynamics from what is left; the smoother then says
 * what the channels would have shown, and how sure it is. docs/guide/lds.md explains the model.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 200, N = 5, D = 2, SILENT = 90, AGAIN = 110 };
static double y[T][N];                  /* what is seen; NaN where nothing is */
static double truth[T], seen[T];        /* channel 0 without noise, and as it is seen */
static double z[T][D], P[T][D][D];      /* posterior means and covariances of the latents */
static double mean[T], low[T], high[T]; /* channel 0, and two standard deviations around */
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

static void measure(void) {
    vdi_rng rng = vdi_rng_make(1, 0);
    for (int t = 0; t < T; t++) {
        bool silent = t >= SILENT && t < AGAIN;
        for (int i = 0; i < N; i++) {
            bool missing = silent || vdi_rng_bernoulli(&rng, 0.1);
            y[t][i] = missing ? NAN : sin(0.2 * t + i) + 0.7 * vdi_rng_normal(&rng);
        }
        truth[t] = sin(0.2 * t);
        seen[t] = y[t][0];
    }
}

/* 200 iterations of EM, then the posterior of the latents. */
static void learn(vdi_lds *lds) {
    vdi_lds_data_desc all = {.y = vdi_tensor_2d(y, VDI_F64, T, N)};
    vdi_lds_moments out = {.ms = &z[0][0], .Ps = &P[0][0][0]};
    vdi_lds_data *data;
    double before, after;
    need(vdi_lds_data_create(lds, &all, &data, &err));
    need(vdi_lds_init(lds, data, 1, &err));
    need(vdi_lds_log_likelihood(lds, data, NULL, &before, &err));
    for (int i = 0; i < 200; i++)
        need(vdi_lds_em_step(lds, data, NULL, &err));
    need(vdi_lds_log_likelihood(lds, data, NULL, &after, &err));
    need(vdi_lds_smooth(lds, data, &out, &err));
    printf("log likelihood per bin: %.3f at the start, %.3f learned\n", before / T, after / T);
    vdi_lds_data_destroy(data);
}

/* Channel 0 without its noise: C_0 z + b_0, with variance C_0 P C_0'. */
static void predict(const vdi_lds *lds) {
    for (int t = 0; t < T; t++) {
        double variance = 0;
        mean[t] = lds->b[0];
        for (int i = 0; i < D; i++) {
            mean[t] += lds->C[i] * z[t][i];
            for (int j = 0; j < D; j++)
                variance += lds->C[i] * P[t][i][j] * lds->C[j];
        }
        low[t] = mean[t] - 2 * sqrt(variance);
        high[t] = mean[t] + 2 * sqrt(variance);
    }
}

/* In the gap. Returns the root mean square error. */
static double judge(void) {
    double error = 0;
    int inside = 0;
    for (int t = SILENT; t < AGAIN; t++) {
        error += pow(mean[t] - truth[t], 2) / (AGAIN - SILENT);
        inside += truth[t] > low[t] && truth[t] < high[t];
    }
    printf("in the gap: root mean square error %.3f\n", sqrt(error));
    printf("truth inside two standard deviations in %d of %d bins\n", inside, AGAIN - SILENT);
    return sqrt(error);
}

static void draw(const char *path) {
    static double bin[T];
    vdi_figure f;
    for (int t = 0; t < T; t++)
        bin[t] = t;
    vdi_figure_init(&f, NULL);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->x.label = "time (bins)";
    p->y.label = "channel 1";
    vdi_tensor at = vdi_tensor_1d(bin, VDI_F64, T), dots = vdi_tensor_1d(seen, VDI_F64, T);
    vdi_tensor under = vdi_tensor_1d(low, VDI_F64, T), over = vdi_tensor_1d(high, VDI_F64, T);
    vdi_panel_scatter(p, "seen", at, dots)->color = VDI_COLOR_GREY;
    vdi_panel_band(p, "two standard deviations", under, over)->color = VDI_COLOR_BLUE;
    vdi_panel_line(p, "inferred", vdi_tensor_1d(mean, VDI_F64, T))->color = VDI_COLOR_BLUE;
    vdi_panel_line(p, "truth", vdi_tensor_1d(truth, VDI_F64, T))->color = VDI_COLOR_VERMILION;
    need(vdi_svg_save(path, &f, &err));
    vdi_figure_free(&f);
}

int main(int argc, char **argv) {
    vdi_lds_desc desc = {.d = D, .n = N, .diagonal_r = true};
    vdi_lds *lds;
    measure();
    need(vdi_lds_create(&desc, &lds, &err));
    learn(lds);
    predict(lds);
    double error = judge();
    if (argc > 1) draw(argv[1]);
    vdi_lds_destroy(lds);
    return error > 0.3; /* the example is also a test */
}
