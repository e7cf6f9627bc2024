/* bench/case_conflict.c - components of a value that fight over one trunk
 *
 *     make build/bench/case_conflict QUESTIONS=case_conflict
 *     build/bench/case_conflict [picture.svg [hidden]]
 *
 * A critic with 16-16 units learns three components of a one-step task, of sizes 10, 1 and 0.1. The
 * mean of their gradients is the large one's, and many of its steps work against the others. CAGrad
 * turns the step, within a ball about the mean, towards the component that gains least. The critic
 * is used without an agent: the question is about values. `hidden` measures the conflict at the
 * last hidden layer. Its table is in docs/guide/sacd-cases.md.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { M = 3, RULES = 3, SEEDS = 8, BATCH = 64, TEST = 512 };
enum { FITS = 1000, EVERY = 25, LOOKS = FITS / EVERY };
static const char *const component[M] = {"large", "middle", "small"};
static const char *const rule[RULES] = {"mean", "CAGrad 0.5", "CAGrad 0.9"};
static const double radius[RULES] = {0, 0.5, 0.9}; /* CAGrad's c: 0 is the mean */
static vdi_critic_gradient gradient = VDI_CRITIC_CAGRAD;
static vdi_error err;

/* Means over seeds, for each rule and component i: share of steps d with <g_i, d> < 0, cosine of
   the two, and the explained variance as learning goes on. */
static double against[RULES][M], cosine[RULES][M], explained[RULES][M][LOOKS];

static void need(vdi_status status) {
    if (status >= 0) return;
    printf("%s: %s\n", err.where, err.message);
    exit(1);
}

/* State and action in [-1,1], (n) each, and the rewards y (n,M) that they bring. */
static void sample(vdi_rng *rng, int n, float *state, float *action, float *y) {
    for (int b = 0; b < n; b++) {
        const double s = 2 * vdi_rng_uniform(rng) - 1, a = 2 * vdi_rng_uniform(rng) - 1;
        state[b] = (float)s;
        action[b] = (float)a;
        y[M * b] = (float)(10 * sin(4 * s + 2 * a));
        y[M * b + 1] = (float)sin(2 * s - 4 * a);
        y[M * b + 2] = (float)(0.1 * cos(4 * s * a + s));
    }
}

/* Explained variance of each component on new pairs, added into column `look`. */
static void look_at(vdi_critic *critic, int how, int look) {
    static float state[TEST], action[TEST], y[TEST * M], q[TEST * M];
    static double value[TEST * M], truth[TEST * M];
    vdi_rng rng = vdi_rng_make(1000001, 0);
    vdi_value_check check = {0};
    sample(&rng, TEST, state, action, y);
    vdi_critic_values(critic, VDI_CRITIC_FIRST, TEST, state, action, q);
    for (int i = 0; i < TEST * M; i++) {
        value[i] = q[i];
        truth[i] = y[i];
    }
    vdi_value_check_pairs(&check, TEST, M, value, truth);
    for (int i = 0; i < M; i++) {
        explained[how][i][look] += vdi_value_check_head(&check, i).explained / SEEDS;
    }
}

/* Does the step d = sum_j k_j g_j that was just made work against a component? */
static void count_conflict(const vdi_critic *critic, int how) {
    double G[M * M], k[M], gd[M] = {0}, dd = 0; /* <g_i, g_j>, <g_i, d>, <d, d> */
    need(vdi_critic_gram(critic, 0, G, &err));
    vdi_cagrad(M, G, radius[how], k, NULL);
    for (int i = 0; i < M; i++) {
        for (int j = 0; j < M; j++)
            gd[i] += k[j] * G[i * M + j];
        dd += k[i] * gd[i];
    }
    for (int i = 0; i < M; i++) {
        against[how][i] += (gd[i] < 0) / (double)(FITS * SEEDS);
        cosine[how][i] += gd[i] / sqrt(dd * G[i * M + i]) / (FITS * SEEDS);
    }
}

static void train(uint64_t seed, int how) {
    vdi_critic_desc desc = {.observations = 1,
                            .actions = 1,
                            .heads = M,
                            .hidden = {16, 16},
                            .batch = BATCH,
                            .rate = 3e-3,
                            .gradient = gradient,
                            .cagrad_c = radius[how],
                            .has_cagrad_c = true,
                            .seed = seed};
    vdi_rng rng = vdi_rng_make(seed, 1);
    float state[BATCH], action[BATCH], y[BATCH * M];
    vdi_critic *critic;
    need(vdi_critic_create(&desc, &critic, &err));
    for (int fit = 0; fit < FITS; fit++) {
        if (fit % EVERY == 0) look_at(critic, how, fit / EVERY);
        sample(&rng, BATCH, state, action, y);
        need(vdi_critic_fit(critic, BATCH, state, action, y, NULL, NULL, &err));
        count_conflict(critic, how);
    }
    vdi_critic_destroy(critic);
}

static void print_table(void) {
    puts("component  gradients    against it  cos(g_i, d)  explained after 250   500   975 fits");
    for (int i = 0; i < M; i++) {
        for (int r = 0; r < RULES; r++) {
            const double *curve = explained[r][i];
            printf("%-9s  %-11s %9.0f %%", component[i], rule[r], 100 * against[r][i]);
            printf(" %12.3f %20.3f", cosine[r][i], curve[250 / EVERY]);
            printf(" %.3f %.3f\n", curve[500 / EVERY], curve[LOOKS - 1]);
        }
    }
}

static void draw(const char *path) {
    static const char *const title[M] = {"large component (10)", "middle component (1)",
                                         "small component (0.1)"};
    vdi_figure_desc desc = {.cols = 2, .rows = 2};
    vdi_tensor none = {0};
    vdi_figure f;
    vdi_figure_init(&f, &desc);
    for (int i = 0; i < M; i++) {
        vdi_panel *p = vdi_figure_panel(&f, i / 2, i % 2);
        p->title = title[i];
        p->x.label = "fits";
        p->y.label = "explained variance";
        p->dx = EVERY;
        p->y.has_limits = true;
        p->y.low = -0.2;
        p->y.high = 1;
        for (int r = 0; r < RULES; r++)
            vdi_panel_line(p, i ? NULL : rule[r], vdi_tensor_1d(explained[r][i], VDI_F64, LOOKS));
    }
    vdi_panel *p = vdi_figure_panel(&f, 1, 1);
    p->title = "steps that work against a component";
    p->y.label = "share of the steps";
    vdi_panel_bars(p, rule, component, vdi_tensor_2d(against, VDI_F64, RULES, M), none);
    need(vdi_svg_save(path, &f, &err));
    vdi_figure_free(&f);
}

int main(int argc, char **argv) {
    if (argc > 2) gradient = VDI_CRITIC_CAGRAD_HIDDEN;
    for (int how = 0; how < RULES; how++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++)
            train(seed, how);
    }
    print_table();
    if (argc > 1) draw(argv[1]);
    return 0;
}
