/* examples/flds.c - neurons tuned to places on a map that nobody has seen
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/flds.c -o flds -lm -pthread && ./flds [picture.svg]
 *
 * A point wanders in the plane. Each of 40 neurons fires along the stripes of a wave of its own, so
 * a log-linear read-out is hopeless. From the spike counts alone the fLDS finds the path.
 * docs/guide/flds.md explains the model.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRIALS = 60, HELD = 10, T = 100, N = 40, D = 2, BINS = TRIALS * T, FIRST = BINS - HELD * T };
static double z[BINS][D]; /* where the point was */
static double y[BINS][N]; /* spike counts */
static vdi_vilds *model;
static vdi_vilds_data *train, *test; /* the last HELD trials are for testing */
static double mean[HELD * T][D];     /* posterior means of the test trials */
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

/* A slow rotation with noise that keeps the variance at 1 in each direction. */
static void wander(vdi_rng *rng) {
    const double angle = 2 * VDI_PI / 40, decay = 0.985, sd = sqrt(1 - decay * decay);
    for (int b = 0; b < BINS; b++) {
        for (int i = 0; i < D; i++)
            z[b][i] = (b % T ? sd : 1) * vdi_rng_normal(rng);
        if (b % T == 0) continue; /* a trial starts */
        z[b][0] += decay * (cos(angle) * z[b - 1][0] - sin(angle) * z[b - 1][1]);
        z[b][1] += decay * (sin(angle) * z[b - 1][0] + cos(angle) * z[b - 1][1]);
    }
}

static void simulate(void) {
    vdi_rng rng = vdi_rng_make(5, 0);
    double wave[N][D], phase[N];
    for (int n = 0; n < N; n++) {
        for (int i = 0; i < D; i++)
            wave[n][i] = 1.5 * vdi_rng_normal(&rng);
        phase[n] = 2 * VDI_PI * vdi_rng_uniform(&rng);
    }
    wander(&rng);
    for (int b = 0; b < BINS; b++) {
        for (int n = 0; n < N; n++) {
            double crest = cos(wave[n][0] * z[b][0] + wave[n][1] * z[b][1] + phase[n]);
            y[b][n] = (double)vdi_rng_poisson(&rng, 0.1 + 2 * exp(2 * (crest - 1)));
        }
    }
}

/* Sixteen starts: some end in maps that are folded, and their bound tells. */
static void learn(void) {
    vdi_vilds_desc desc = {.d = D, .n = N, .train = {.steps = 700}};
    vdi_vilds_data_desc first = {.y = vdi_tensor_3d(y, VDI_F64, TRIALS - HELD, T, N)};
    vdi_vilds_data_desc last = {.y = vdi_tensor_3d(y[FIRST], VDI_F64, HELD, T, N)};
    desc = vdi_flds_recipe(&desc, VDI_FLDS_DENSE);
    need(vdi_vilds_create(&desc, &model, &err));
    need(vdi_vilds_data_create(model, &first, &train, &err));
    need(vdi_vilds_data_create(model, &last, &test, &err));
    need(vdi_vilds_fit(model, train, NULL, NULL, NULL, &err));
    need(vdi_flds_canonical(model, train, &err));
}

/* On the test trials; returns R2 of the path after the best affine map. */
static double judge(void) {
    static double work[1024];
    double amortised, refined, r2;
    vdi_flds_scores scores;
    vdi_vilds_query refine = {.refine = 8};
    vdi_vilds_result out = {.mean = mean[0]};
    need(vdi_vilds_score(model, test, NULL, &amortised, &err));
    need(vdi_vilds_score(model, test, &refine, &refined, &err));
    need(vdi_flds_score(model, test, NULL, &scores, &err));
    need(vdi_vilds_infer(model, test, &refine, &out, &err));
    need(vdi_score_linear_r2(HELD * T, D, mean[0], D, z[FIRST], HELD * T, work, NULL, &r2, &err));
    printf("bound on new trials: %.3f nats per bin, %.3f refined\n", amortised, refined);
    printf("one neuron from the others: %.3f bits per spike\n", scores.lno_bits);
    printf("one bin from those before:  %.3f bits per spike\n", scores.one_step_bits);
    printf("the path, up to an affine map: R2 %.3f\n", r2);
    return r2;
}

/* Four paths (T,D), as they were or as they are found, in one panel. */
static void draw_paths(vdi_panel *p, const char *title, double (*path)[D]) {
    p->title = title;
    for (int trial = 0; trial < 4; trial++) {
        vdi_tensor points = vdi_tensor_2d(path[trial * T], VDI_F64, T, D);
        vdi_series *line = vdi_panel_line(p, NULL, vdi_tensor_index(points, 1, 1));
        line->x = vdi_tensor_index(points, 1, 0);
        line->color = (vdi_color)(trial + 1);
    }
}

static void draw(const char *path) {
    vdi_figure f;
    vdi_figure_desc desc = {.cols = 2, .height = 300};
    vdi_figure_init(&f, &desc);
    draw_paths(vdi_figure_panel(&f, 0, 0), "where the point was", &z[FIRST]);
    draw_paths(vdi_figure_panel(&f, 0, 1), "the latents that the model finds", mean);
    need(vdi_svg_save(path, &f, &err));
    vdi_figure_free(&f);
}

int main(int argc, char **argv) {
    simulate();
    learn();
    double r2 = judge();
    if (argc > 1) draw(argv[1]);
    vdi_vilds_data_destroy(test);
    vdi_vilds_data_destroy(train);
    vdi_vilds_destroy(model);
    return r2 < 0.5; /* the example is also a test */
}
