/* core/ranks.h - work that several processes share: which part is whose, and a sum over all of them
 *
 * Do this:
 *     vdi_ranks ranks = {0};
 *     ranks.rank = 2;   this process, of ...
 *     ranks.count = 4;
 *     ranks.sum = add;   bool add(double *values, int64_t n, void *user): examples/mpi has one
 *     vdi_ranks_share(&ranks, 100, &from, &to);                  50, 75
 *     if (vdi_ranks_sum(&ranks, values, 3, &err) < 0) puts(err.message);
 *
 * A model's description takes such a struct, zero is one process alone. Every process makes the
 * same calls on the same data and the same description; each works on its share, and the sums bring
 * together what they found, so that all of them hold the same model after every step.
 * The bits are those of the order in which `sum` adds: let it be that of the ranks, always.
 * What it does NOT do: start processes, send data, or survive the loss of one.
 * Memory: none. Errors: VDI_ERR_IO if a sum fails. Threads: `sum` is called by one thread at a
 * time.
 */
#ifndef VDI_CORE_RANKS_H
#define VDI_CORE_RANKS_H
#include "status.h"

/** Add up `values` (n) over all processes; all receive the same sums. False on failure. */
typedef bool (*vdi_allreduce_fn)(double *values, int64_t n, void *user);

/** Who this process is among those that share the work. Zero: alone. */
typedef struct vdi_ranks {
    int32_t rank;         /**< 0 to count - 1 */
    int32_t count;        /**< processes; 0 means 1 */
    vdi_allreduce_fn sum; /**< where there are several */
    void *user;           /**< handed to it */
} vdi_ranks;

/** VDI_OK, or which member is out of range. */
VDI_API vdi_status vdi_ranks_check(const vdi_ranks *r, vdi_error *err);
/** This process's share of n things: from <= i < to. The shares differ by one at most. */
VDI_API void vdi_ranks_share(const vdi_ranks *r, int64_t n, int64_t *from, int64_t *to);
/** The sum over all processes in place; nothing happens in one that is alone. */
VDI_API VDI_NODISCARD vdi_status vdi_ranks_sum(const vdi_ranks *r, double *values, int64_t n,
                                               vdi_error *err);
/** Has any process failed? `status` is this one's; where it is VDI_OK and another's is not, the
 * answer is VDI_ERR_NUMERIC. Every process asks at the same places, so that none waits for a sum
 * that will not come. */
VDI_API VDI_NODISCARD vdi_status vdi_ranks_agree(const vdi_ranks *r, vdi_status status,
                                                 vdi_error *err);

#endif /* VDI_CORE_RANKS_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_RANKS_C)
#define VDI_CORE_RANKS_C

VDI__DEF vdi_status vdi_ranks_check(const vdi_ranks *r, vdi_error *err) {
    const int32_t count = r->count ? r->count : 1;
    if (count >= 1 && r->rank >= 0 && r->rank < count && (count == 1 || r->sum)) return VDI_OK;
    return vdi_error_set(
        err, VDI_ERR_ARGUMENT, "vdi_ranks",
        "rank %d of %d: expected 0 to count - 1, and a sum where there are several", (int)r->rank,
        (int)r->count);
}

VDI__DEF void vdi_ranks_share(const vdi_ranks *r, int64_t n, int64_t *from, int64_t *to) {
    const int64_t count = r->count ? r->count : 1;
    const int64_t each = n / count, more = n % count;
    *from = r->rank * each + VDI__MIN(r->rank, more);
    *to = *from + each + (r->rank < more);
}

VDI__DEF vdi_status vdi_ranks_sum(const vdi_ranks *r, double *values, int64_t n, vdi_error *err) {
    if (r->count <= 1 || r->sum(values, n, r->user)) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_IO, "vdi_ranks_sum", "the sum over %d processes failed",
                         (int)r->count);
}

VDI__DEF vdi_status vdi_ranks_agree(const vdi_ranks *r, vdi_status status, vdi_error *err) {
    double failed = status < 0;
    vdi_error unsaid;
    if (r->count <= 1) return status;
    const vdi_status summed = vdi_ranks_sum(r, &failed, 1, status < 0 ? &unsaid : err);
    if (status < 0 || summed < 0 || !(failed > 0)) return status < 0 ? status : summed;
    return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_ranks_agree", "%d of %d processes failed",
                         (int)failed, (int)r->count);
}
#endif
