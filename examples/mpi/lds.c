/* lds.c - EM of a linear dynamical system by several processes: each has its share of the trials
 *
 *     make mpi && mpirun -n 4 build/mpi/lds           (Debian: openmpi-bin, libopenmpi-dev)
 *
 * It prints the log likelihood before each step and after the last: the numbers of one process, but
 * for the order in which sums are added.
 */
#include <math.h>
#include <stdio.h>
#include "vdi_mpi.h"

enum { TRIALS = 30, T = 80, N = 12, D = 3, STEPS = 40 };
static double y[TRIALS][T][N];
static int64_t lengths[TRIALS];

/* Two oscillators and a slow drift behind twelve channels; a twentieth of the values is missing,
 * the trials differ in length. Every process makes the same data; yours would read the same
 * file. */
static void simulate(void) {
    for (int i = 0; i < TRIALS; i++) {
        vdi_rng rng = vdi_rng_make(1, (uint64_t)i);
        double z[D] = {vdi_rng_normal(&rng), vdi_rng_normal(&rng), vdi_rng_normal(&rng)};
        lengths[i] = i % 3 == 0 ? T - 20 : T;
        for (int t = 0; t < T; t++) {
            const double a = 0.98 * (cos(0.2) * z[0] - sin(0.2) * z[1]);
            const double b = 0.98 * (sin(0.2) * z[0] + cos(0.2) * z[1]);
            z[0] = a + 0.1 * vdi_rng_normal(&rng);
            z[1] = b + 0.1 * vdi_rng_normal(&rng);
            z[2] = 0.99 * z[2] + 0.05 * vdi_rng_normal(&rng);
            for (int n = 0; n < N; n++) {
                const double level = z[0] * cos(n) + z[1] * sin(2 * n) + z[2] * (n % 4 - 1);
                const double value = 5 + level + 0.3 * vdi_rng_normal(&rng);
                y[i][t][n] = vdi_rng_uniform(&rng) < 0.05 ? (double)NAN : value;
            }
        }
    }
}

/* A start is found from all trials, by every process for itself; then each keeps its share. */
static bool begin(vdi_lds *lds, vdi_ranks ranks, vdi_lds_data **data, vdi_error *err) {
    vdi_lds_data_desc seen = {.y = vdi_tensor_3d(y, VDI_F64, TRIALS, T, N), .lengths = lengths};
    vdi_lds_data *all;
    if (vdi_lds_data_create(lds, &seen, &all, err) < 0) return false;
    const bool begun = vdi_lds_init(lds, all, 1, err) >= 0;
    vdi_lds_data_destroy(all);
    seen.ranks = ranks;
    return begun && vdi_lds_data_create(lds, &seen, data, err) >= 0;
}

int main(int argc, char **argv) {
    const vdi_lds_desc desc = {.d = D, .n = N, .diagonal_r = true};
    vdi_lds *lds = NULL;
    vdi_lds_data *data = NULL;
    vdi_error err;
    double ll;
    MPI_Init(&argc, &argv);
    simulate();
    const vdi_ranks ranks = vdi_mpi_ranks();
    bool ok = vdi_lds_create(&desc, &lds, &err) >= 0 && begin(lds, ranks, &data, &err);
    for (int step = 0; ok && step < STEPS; step++) {
        ok = vdi_lds_em_step(lds, data, &ll, &err) >= 0;
        if (ok && ranks.rank == 0) printf("%3d %.17g\n", step, ll);
    }
    ok = ok && vdi_lds_log_likelihood(lds, data, NULL, &ll, &err) >= 0;
    if (!ok) fprintf(stderr, "%s\n", err.message);
    if (ok && ranks.rank == 0) printf("end %.17g\n", ll);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
    MPI_Finalize();
    return ok ? 0 : 1;
}
