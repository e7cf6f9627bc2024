/* examples/blocktri.c - a Kalman smoother is one factor and one solve
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/blocktri.c -o blocktri -lm -pthread
 *     ./blocktri [picture.svg]
 *
 * A car's position is measured with noise. How fast was it? docs/guide/blocktri.md is the chapter.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 40, d = 2, POSITION = 0, SPEED = 1 };

/* z_1 ~ N(0, Q0), z_t = A z_{t-1} + N(0, Q), y_t = position + N(0, r); Q and Q0 are diagonal. */
static const double step = 0.5;                              /* seconds */
static const double A[d][d] = {{1, 0.5}, {0, 1}};            /* position += step * speed */
static const double q[d] = {0.01, 0.05}, q0[d] = {100, 100}; /* m^2, (m/s)^2 */
static const double r = 4;                                   /* m^2 */

static double z[T][d], y[T];                       /* the truth, and the measurements */
static double D[T][d][d], E[T - 1][d][d], h[T][d]; /* z's precision J, by blocks; J mean */
static double mean[T][d], variance[T][d][d];       /* the answer */
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

static void drive(void) {
    vdi_rng rng = vdi_rng_make(1, 0);
    for (int t = 0; t < T; t++) {
        z[t][SPEED] = (t ? z[t - 1][SPEED] : 3) + sqrt(q[SPEED]) * vdi_rng_normal(&rng);
        if (t) z[t][POSITION] = z[t - 1][POSITION] + step * z[t - 1][SPEED];
        if (t) z[t][POSITION] += sqrt(q[POSITION]) * vdi_rng_normal(&rng);
        y[t] = z[t][POSITION] + sqrt(r) * vdi_rng_normal(&rng);
    }
}

/* What each term of log p(z, y) adds to J and h. */
static void build(void) {
    for (int t = 0; t < T; t++) {
        for (int i = 0; i < d; i++)
            D[t][i][i] = 1 / (t ? q[i] : q0[i]); /* z_t given the past */
        D[t][POSITION][POSITION] += 1 / r;       /* y_t given z_t */
        h[t][POSITION] = y[t] / r;
    }
    for (int t = 0; t + 1 < T; t++) { /* z_{t+1} given z_t: A' Q^{-1} A, and -Q^{-1} A beside it */
        for (int i = 0; i < d; i++) {
            for (int j = 0; j < d; j++) {
                for (int k = 0; k < d; k++)
                    D[t][i][j] += A[k][i] * A[k][j] / q[k];
                E[t][i][j] = -A[i][j] / q[i];
            }
        }
    }
}

/* J mean = h, and the blocks of J^{-1} on its diagonal. */
static void smooth(void) {
    vdi_blocktri_desc desc = {.dtype = VDI_F64, .trials = 1, .T = T, .d = d};
    size_t size = vdi_blocktri_memsize(&desc);
    void *memory = malloc(size);
    vdi_blocktri J;
    need(vdi_blocktri_init(&J, &desc, memory, size, &err));
    need(vdi_blocktri_factor(&J, D, E, &err));
    vdi_blocktri_solve(&J, 1, h, mean);
    vdi_blocktri_marginals(&J, variance, NULL);
    free(memory);
}

static void report(void) {
    double raw = 0, smoothed = 0;
    puts("   s   true m  measured  smoothed        true m/s  smoothed");
    for (int t = 0; t < T; t++) {
        raw += pow(y[t] - z[t][POSITION], 2) / T;
        smoothed += pow(mean[t][POSITION] - z[t][POSITION], 2) / T;
        if (t % 6) continue;
        printf("%4.1f %8.2f %9.2f", t * step, z[t][POSITION], y[t]);
        printf(" %9.2f +- %.2f", mean[t][POSITION], sqrt(variance[t][POSITION][POSITION]));
        printf(" %8.2f %9.2f", z[t][SPEED], mean[t][SPEED]);
        printf(" +- %.2f\n", sqrt(variance[t][SPEED][SPEED]));
    }
    printf("root mean square error of the position: measured %.2f m, smoothed %.2f m\n", sqrt(raw),
           sqrt(smoothed));
}

static void draw(const char *path) {
    static double low[T], high[T];
    for (int t = 0; t < T; t++) {
        low[t] = mean[t][SPEED] - 2 * sqrt(variance[t][SPEED][SPEED]);
        high[t] = mean[t][SPEED] + 2 * sqrt(variance[t][SPEED][SPEED]);
    }
    vdi_figure f;
    vdi_figure_init(&f, NULL);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->dx = step;
    p->x.label = "time (s)";
    p->y.label = "speed (m/s)"; /* which no instrument has seen */
    vdi_tensor under = vdi_tensor_1d(low, VDI_F64, T), over = vdi_tensor_1d(high, VDI_F64, T);
    vdi_tensor truth = vdi_tensor_index(vdi_tensor_2d(z, VDI_F64, T, d), 1, SPEED);
    vdi_tensor middle = vdi_tensor_index(vdi_tensor_2d(mean, VDI_F64, T, d), 1, SPEED);
    vdi_panel_band(p, "two standard deviations", under, over)->color = VDI_COLOR_BLUE;
    vdi_panel_line(p, "smoothed", middle)->color = VDI_COLOR_BLUE;
    vdi_panel_line(p, "true", truth)->color = VDI_COLOR_VERMILION;
    need(vdi_svg_save(path, &f, &err));
    vdi_figure_free(&f);
}

int main(int argc, char **argv) {
    drive();
    build();
    smooth();
    report();
    if (argc > 1) draw(argv[1]);
    return 0;
}
