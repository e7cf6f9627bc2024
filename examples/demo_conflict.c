/* examples/demo_conflict.c - components of a value that fight over one trunk, and what
 * conflict-averse gradients do about it
 *
 *     cc -O2 -I. examples/demo_conflict.c -o demo_conflict -lm -lpthread &&
 *         ./demo_conflict demo_conflict.svg
 *
 * A critic with 16-16 units learns three components of a one-step task, of sizes 10, 1 and 0.1. The
 * mean of their gradients is the large one's, and many of its steps work against the others. CAGrad
 * turns the step, within a ball about the mean, towards the component that gains least. The critic
 * is used alone here, without an agent: the question is about values. docs/sacd_tools.md tells
 * more.
 */
#define VDI_SACD_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#include "vdi.h"

#include <stdio.h>

enum {
    M = 3,
    BATCH = 64,
    TEST = 512,
    FITS = 1000,
    EVERY = 25,
    LOOKS = FITS / EVERY,
    SEEDS = 8,
    RULES = 3
};
static const double c[RULES] = {0, 0.5, 0.9}; /* CAGrad's c: 0 is the mean */
static const char *const component[M] = {"large", "middle", "small"};
static const char *const rule[RULES] = {"mean", "CAGrad 0.5", "CAGrad 0.9"};

/* State and action in [-1,1], and the rewards that they bring. */
static void sample(vdi_rng *rng, int n, float *obs, float *action, float *y) {
    for (int b = 0; b < n; b++) {
        const double s = 2 * vdi_rng_uniform(rng) - 1, a = 2 * vdi_rng_uniform(rng) - 1;
        obs[b] = (float)s;
        action[b] = (float)a;
        y[M * b] = (float)(10 * sin(4 * s + 2 * a));
        y[M * b + 1] = (float)sin(2 * s - 4 * a);
        y[M * b + 2] = (float)(0.1 * cos(4 * s * a + s));
    }
}

/* Explained variance of each component on new pairs. */
static void judge(vdi_critic *critic, double *explained) {
    static float obs[TEST], action[TEST], y[TEST * M], q[TEST * M];
    static double value[TEST * M], truth[TEST * M];
    vdi_rng rng = vdi_rng_make(1000001, 0);
    vdi_value_check check = VDI__ZERO;
    sample(&rng, TEST, obs, action, y);
    vdi_critic_values(critic, VDI_CRITIC_FIRST, TEST, obs, action, q);
    for (int i = 0; i < TEST * M; i++) {
        value[i] = (double)q[i];
        truth[i] = (double)y[i];
    }
    vdi_value_check_pairs(&check, TEST, M, value, truth);
    for (int i = 0; i < M; i++)
        explained[i] = vdi_value_check_head(&check, i).explained;
}

/* Adds to `against` (M), the share of steps d with <g_i, d> < 0 of the first twin, `cosine` (M),
 * the mean of cos(g_i, d), and to `curve`.
 */
static vdi_status train(uint64_t seed, double how, double *against, double *cosine,
                        double curve[M][LOOKS], vdi_error *err) {
    vdi_critic_desc desc = VDI__ZERO;
    desc.observations = 1;
    desc.actions = 1;
    desc.heads = M;
    desc.hidden[0] = desc.hidden[1] = 16;
    desc.batch = BATCH;
    desc.rate = 3e-3;
    desc.gradient = VDI_CRITIC_CAGRAD;
    desc.cagrad_c = how;
    desc.has_cagrad_c = true;
    desc.seed = seed;
    vdi_critic *critic;
    vdi_status status = vdi_critic_create(&desc, &critic, err);
    if (status < 0) return status;
    vdi_rng rng = vdi_rng_make(seed, 1);
    float obs[BATCH], action[BATCH], y[BATCH * M];
    double G[M * M], k[M], explained[M];
    for (int fit = 0; status >= 0 && fit < FITS; fit++) {
        if (fit % EVERY == 0) judge(critic, explained);
        for (int i = 0; fit % EVERY == 0 && i < M; i++)
            curve[i][fit / EVERY] += explained[i] / SEEDS;
        sample(&rng, BATCH, obs, action, y);
        status = vdi_critic_fit(critic, BATCH, obs, action, y, NULL, err);
        if (status >= 0) status = vdi_critic_gram(critic, 0, G, err);
        if (status < 0) break;
        vdi_cagrad(M, G, how, k, NULL); /* d = sum_j k_j g_j */
        double dd = 0, gd[M] = {0, 0, 0};
        for (int i = 0; i < M; i++) {
            for (int j = 0; j < M; j++)
                gd[i] += k[j] * G[i * M + j];
            dd += k[i] * gd[i];
        }
        for (int i = 0; i < M; i++)
            against[i] += (gd[i] < 0) / (double)(FITS * SEEDS);
        for (int i = 0; i < M; i++)
            cosine[i] += gd[i] / sqrt(dd * G[i * M + i]) / (FITS * SEEDS);
    }
    vdi_critic_destroy(critic);
    return status;
}

int main(int argc, char **argv) {
    static double against[RULES][M], cosine[RULES][M], curve[RULES][M][LOOKS];
    vdi_error err;
    for (int r = 0; r < RULES; r++) {
        for (int seed = 1; seed <= SEEDS; seed++) {
            if (train((uint64_t)seed, c[r], against[r], cosine[r], curve[r], &err) < 0) {
                fprintf(stderr, "%s: %s\n", err.where, err.message);
                return 1;
            }
        }
    }
    puts("component  gradients    steps against it  cos(g_i, step)   explained after 250  500  975 "
         "fits");
    for (int i = 0; i < M; i++) {
        for (int r = 0; r < RULES; r++) {
            printf("%-9s  %-11s %14.0f %% %15.3f %22.3f %.3f %.3f\n", component[i], rule[r],
                   100 * against[r][i], cosine[r][i], curve[r][i][250 / EVERY],
                   curve[r][i][500 / EVERY], curve[r][i][LOOKS - 1]);
        }
    }
    if (argc < 2) return 0;
    vdi_figure f;
    vdi_figure_desc desc = VDI__ZERO;
    vdi_tensor none = VDI__ZERO;
    desc.cols = 2;
    desc.rows = 2;
    vdi_figure_init(&f, &desc);
    for (int i = 0; i <= M; i++) {
        vdi_panel *p = vdi_figure_panel(&f, i / 2, i % 2);
        if (i == M) {
            p->title = "steps that work against a component";
            p->y.label = "share of the steps";
            vdi_panel_bars(p, rule, component, vdi_tensor_2d(against, VDI_F64, RULES, M), none);
            continue;
        }
        p->title = i == 0   ? "large component (10)"
                   : i == 1 ? "middle component (1)"
                            : "small component (0.1)";
        p->x.label = "fits";
        p->y.label = "explained variance";
        p->dx = EVERY;
        p->y.has_limits = true;
        p->y.low = -0.2;
        p->y.high = 1;
        for (int r = 0; r < RULES; r++)
            vdi_panel_line(p, i ? NULL : rule[r], vdi_tensor_1d(curve[r][i], VDI_F64, LOOKS));
    }
    if (vdi_svg_save(argv[1], &f, &err) < 0) {
        fprintf(stderr, "%s: %s\n", err.where, err.message);
        return 1;
    }
    vdi_figure_free(&f);
    return 0;
}
