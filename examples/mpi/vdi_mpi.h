/* vdi_mpi.h - vdi's sums over processes by MPI, always in the order of the ranks
 *
 *     MPI_Init(&argc, &argv);
 *     desc.ranks = vdi_mpi_ranks();              of a description that takes vdi_ranks
 *
 * MPI_Allreduce may add in any order, and another one on another day; so each process gathers what
 * all have and adds it itself: the same bits in every run with as many processes.
 */
#ifndef VDI_MPI_H
#define VDI_MPI_H
#include <mpi.h>
#include <stdlib.h>
#include "vdi.h"

enum { VDI_MPI_PART = 1 << 15 }; /* numbers of one gathering, so that memory stays small */

static bool vdi_mpi_sum(double *values, int64_t n, void *user) {
    const int count = *(const int *)user;
    double *all = (double *)malloc(sizeof(double) * (size_t)count * VDI_MPI_PART);
    bool ok = all != NULL;
    for (int64_t at = 0; ok && at < n; at += VDI_MPI_PART) {
        const int part = (int)(n - at < VDI_MPI_PART ? n - at : VDI_MPI_PART);
        ok = MPI_Allgather(values + at, part, MPI_DOUBLE, all, part, MPI_DOUBLE, MPI_COMM_WORLD) ==
             MPI_SUCCESS;
        for (int i = 0; ok && i < part; i++) {
            double sum = all[i];
            for (int r = 1; r < count; r++)
                sum += all[r * part + i];
            values[at + i] = sum;
        }
    }
    free(all);
    return ok;
}

/* All processes of this run. */
static vdi_ranks vdi_mpi_ranks(void) {
    static int count;
    vdi_ranks ranks = {0};
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    ranks.rank = rank;
    ranks.count = count;
    ranks.sum = vdi_mpi_sum;
    ranks.user = &count;
    return ranks;
}

#endif
