/* Neurons tuned to places on a map nobody has seen: from their spike counts alone the fLDS finds
 * the path on the map.
 *
 *     cc -O2 -I.. flds.c -o flds -lm -lpthread && ./flds [picture.svg]   (-I: the folder of vdi.h)
 *
 * A point wanders in the plane. Each of 40 neurons fires along the stripes of a wave of its own, so
 * no rate is a monotone function of the position and a log-linear read-out (PLDS) is hopeless. The
 * network read-out is not told any of this.
 */
#define VDI_VILDS_IMPLEMENTATION
#define VDI_SCORE_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

enum { TRIALS = 60, T = 100, N = 40, D = 2, BINS = TRIALS * T };
static double y[BINS][N], z[BINS][D], mean[BINS][D], means[N], work[1024];

static void simulate(vdi_rng *rng) {
    double wave[N][D], phase[N];
    for (int n = 0; n < N; n++) {
        for (int i = 0; i < D; i++)
            wave[n][i] = 1.5 * vdi_rng_normal(rng);
        phase[n] = 2 * VDI_PI * vdi_rng_uniform(rng);
    }
    const double turn = 2 * VDI_PI / 40, decay = 0.985, sd = sqrt(1 - decay * decay);
    for (int b = 0; b < BINS; b++) {
        for (int i = 0; i < D; i++) {
            double was = b % T ? decay * (i ? sin(turn) * z[b - 1][0] + cos(turn) * z[b - 1][1]
                                            : cos(turn) * z[b - 1][0] - sin(turn) * z[b - 1][1])
                               : 0;
            z[b][i] = was + (b % T ? sd : 1) * vdi_rng_normal(rng);
        }
    }
    for (int b = 0; b < BINS; b++) {
        for (int n = 0; n < N; n++) {
            y[b][n] = (double)vdi_rng_poisson(
                rng,
                0.1 +
                    2 * exp(2 * (cos(wave[n][0] * z[b][0] + wave[n][1] * z[b][1] + phase[n]) - 1)));
        }
    }
}

int main(int argc, char **argv) {
    vdi_error err = VDI__ZERO;
    vdi_rng rng = vdi_rng_make(5, 0);
    simulate(&rng);
    vdi_vilds_desc desc = VDI__ZERO;
    desc.d = D;
    desc.n = N;
    desc.train.steps = 700;
    /* sixteen starts: some end in maps that are folded, and their bound tells */
    desc = vdi_flds_recipe(&desc, VDI_FLDS_DENSE);
    vdi_vilds *model = NULL;
    vdi_vilds_data *train = NULL, *test = NULL;
    vdi_vilds_data_desc dd = VDI__ZERO, td = VDI__ZERO;
    const int held = 10;
    dd.y = vdi_tensor_3d(y, VDI_F64, TRIALS - held, T, N);
    td.y = vdi_tensor_3d(y[(TRIALS - held) * T], VDI_F64, held, T, N);
    double elbo = 0, refined = 0, r2 = 0;
    vdi_flds_scores scores = VDI__ZERO;
    vdi_vilds_query q = VDI__ZERO;
    vdi_vilds_result out = VDI__ZERO;
    out.mean = &mean[0][0];
    q.refine = 8;
    vdi_score_means((TRIALS - held) * T, N, &y[0][0], means);
    bool ok = vdi_vilds_create(&desc, &model, &err) == VDI_OK &&
              vdi_vilds_data_create(model, &dd, &train, &err) == VDI_OK &&
              vdi_vilds_data_create(model, &td, &test, &err) == VDI_OK &&
              vdi_vilds_fit(model, train, NULL, NULL, NULL, &err) == VDI_OK &&
              vdi_flds_canonical(model, train, &err) == VDI_OK &&
              vdi_vilds_score(model, test, NULL, &elbo, &err) == VDI_OK &&
              vdi_vilds_score(model, test, &q, &refined, &err) == VDI_OK &&
              vdi_flds_score(model, test, means, NULL, &scores, &err) == VDI_OK &&
              vdi_vilds_infer(model, test, &q, &out, &err) == VDI_OK;
    const double *truth = z[(TRIALS - held) * T];
    ok = ok && vdi_score_linear_r2(held * T, D, &mean[0][0], D, truth, held * T, work, NULL, &r2,
                                   &err) == VDI_OK;
    if (ok) {
        printf("trials not seen: ELBO %.3f nats per bin, %.3f refined; leave one neuron out %.3f "
               "bits per spike, one step ahead %.3f\n",
               elbo, refined, scores.lno_bits, scores.one_step_bits);
        printf("the path on the map, up to an affine map: R2 %.3f\n", r2);
    }
    if (ok && argc > 1) {
        vdi_figure f;
        vdi_figure_desc fd = VDI__ZERO;
        fd.cols = 2;
        fd.height = 300;
        vdi_figure_init(&f, &fd);
        for (int side = 0; side < 2; side++) {
            vdi_panel *p = vdi_figure_panel(&f, 0, side);
            p->title = side ? "what the model finds" : "where the point was";
            p->x.label = side ? "latent 1" : "x";
            p->y.label = side ? "latent 2" : "y";
            for (int trial = 0; trial < 4; trial++) {
                vdi_tensor path = vdi_tensor_2d(side ? (void *)mean[trial * T]
                                                     : (void *)z[(TRIALS - held + trial) * T],
                                                VDI_F64, T, D);
                vdi_series *line = vdi_panel_line(p, NULL, vdi_tensor_index(path, 1, 1));
                line->x = vdi_tensor_index(path, 1, 0);
                line->color = (vdi_color)(trial + 1);
            }
        }
        ok = vdi_svg_save(argv[1], &f, &err) == VDI_OK;
        vdi_figure_free(&f);
    }
    if (!ok) puts(err.message);
    vdi_vilds_data_destroy(train);
    vdi_vilds_data_destroy(test);
    vdi_vilds_destroy(model);
    return !ok || r2 < 0.5; /* the example is also a test */
}
