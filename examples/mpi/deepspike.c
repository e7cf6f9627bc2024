/* deepspike.c - DeepSpike learned by several processes: each takes its share of a step's snippets
 *
 *     make mpi && mpirun -n 4 build/mpi/deepspike     (Debian: openmpi-bin, libopenmpi-dev)
 *
 * It prints the bound of each step: the numbers of one process, but for the order in which sums are
 * added.
 */
#include <stdio.h>
#include "vdi_mpi.h"

enum { CELLS = 4, FRAMES = 1200, STEPS = 40 };
static double f[CELLS][FRAMES];

/* Spikes at 0.5 Hz, a calcium trace that decays within half a second, noise. Every process makes
 * the same data; yours would read the same file. */
static void simulate(void) {
    for (int i = 0; i < CELLS; i++) {
        vdi_rng rng = vdi_rng_make(1, (uint64_t)i);
        double calcium = 0;
        for (int t = 0; t < FRAMES; t++) {
            calcium = 0.93 * calcium + vdi_rng_bernoulli(&rng, 0.02);
            f[i][t] = calcium + 0.15 * vdi_rng_normal(&rng);
        }
    }
}

int main(int argc, char **argv) {
    vdi_calcium_desc calcium = vdi_calcium_desc_defaults();
    vdi_deepspike_desc desc = {.layers = 1, .dtype = VDI_F64, .normalise = true};
    vdi_deepspike_data_desc seen = {.traces = vdi_tensor_2d(f, VDI_F64, CELLS, FRAMES)};
    vdi_deepspike *net = NULL;
    vdi_deepspike_data *data = NULL;
    vdi_deepspike_progress p;
    vdi_error err;
    MPI_Init(&argc, &argv);
    simulate();
    desc.generative = vdi_deepspike_calcium(&calcium);
    desc.channels[0] = 6;
    desc.width[0] = 11;
    desc.train.steps = STEPS;
    desc.train.batch = 8;
    desc.train.samples = 8;
    desc.train.snippet = 100;
    desc.ranks = vdi_mpi_ranks();
    bool ok = vdi_deepspike_create(&desc, &net, &err) >= 0 &&
              vdi_deepspike_data_create(net, &seen, &data, &err) >= 0;
    for (vdi_status s = VDI_OK; ok && s == VDI_OK;) {
        s = vdi_deepspike_step(net, data, &p, &err);
        ok = s >= 0;
        if (s == VDI_OK && desc.ranks.rank == 0) printf("%3d %.17g\n", (int)p.step, p.bound);
    }
    if (!ok) fprintf(stderr, "%s\n", err.message);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
    MPI_Finalize();
    return ok ? 0 : 1;
}
