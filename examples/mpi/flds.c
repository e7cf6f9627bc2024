/* flds.c - an fLDS learned by several processes: each takes its share of every step's trials
 *
 *     make mpi && mpirun -n 4 build/mpi/flds          (Debian: openmpi-bin, libopenmpi-dev)
 *
 * It prints the bound of each step. With one process or with many these are the same numbers, but
 * for the order in which float64 sums are added.
 */
#include <math.h>
#include <stdio.h>
#include "vdi_mpi.h"

enum { TRIALS = 32, T = 50, N = 20, STEPS = 40 };
static uint8_t counts[TRIALS][T][N];

/* Twenty neurons, each with its place on a circle, watch a point go round. Every process makes the
 * same data; yours would read the same file. */
static void simulate(void) {
    for (int i = 0; i < TRIALS; i++) {
        vdi_rng rng = vdi_rng_make(1, (uint64_t)i);
        double angle = 6.28 * vdi_rng_uniform(&rng);
        for (int t = 0; t < T; t++) {
            angle += 0.1 + 0.05 * vdi_rng_normal(&rng);
            for (int n = 0; n < N; n++) {
                const double rate = exp(1.5 * cos(angle - 6.28 * n / N) - 1);
                counts[i][t][n] = (uint8_t)vdi_rng_poisson(&rng, rate);
            }
        }
    }
}

int main(int argc, char **argv) {
    vdi_vilds_desc desc = {.d = 2, .n = N, .dtype = VDI_F64};
    vdi_vilds_data_desc seen = {.y = vdi_tensor_3d(counts, VDI_U8, TRIALS, T, N)};
    vdi_vilds *model = NULL;
    vdi_vilds_data *data = NULL;
    vdi_vilds_progress p;
    vdi_error err;
    MPI_Init(&argc, &argv);
    simulate();
    desc.train.steps = STEPS;
    desc.train.batch = 16;
    desc.train.restarts = 1;
    desc.layers = 1;
    desc.hidden[0] = 16;
    desc = vdi_flds_recipe(&desc, VDI_FLDS_DENSE);
    desc.ranks = vdi_mpi_ranks();
    bool ok = vdi_vilds_create(&desc, &model, &err) >= 0 &&
              vdi_vilds_data_create(model, &seen, &data, &err) >= 0;
    for (vdi_status s = VDI_OK; ok && s == VDI_OK;) {
        s = vdi_vilds_step(model, data, NULL, &p, &err);
        ok = s >= 0;
        if (s == VDI_OK && desc.ranks.rank == 0) printf("%3d %.17g\n", (int)p.step, p.elbo);
    }
    double bound = 0;
    ok = ok && vdi_vilds_score(model, data, NULL, &bound, &err) >= 0;
    if (!ok) fprintf(stderr, "%s\n", err.message);
    if (ok && desc.ranks.rank == 0) printf("all %.17g\n", bound);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(model);
    MPI_Finalize();
    return ok ? 0 : 1;
}
