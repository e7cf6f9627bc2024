/* core/pool.h - a thread pool that sleeps
 *
 * Do this:
 *     vdi_pool *pool;
 *     if (vdi_pool_create(2, NULL, &pool, &err) < 0) ...
 *     vdi_pool_run(pool, 100, job, user);              job(0..99, worker, user), returns when all are done
 *     vdi_pool_destroy(pool);
 *
 * The caller works too: a pool of 2 has one thread besides it. Which worker takes which job is not fixed, so a job must
 * depend on its index alone; then the number of threads never shows in the bits. Workers wait on a condition variable and
 * never spin (on a busy machine spinning peers were slowed a hundred times). A NULL pool runs the jobs on the caller.
 * With VDI_NO_THREADS a pool has one worker.
 */
#ifndef VDI_CORE_POOL_H
#define VDI_CORE_POOL_H
#include "alloc.h"
#include "config.h"
#include "status.h"

typedef struct vdi_pool vdi_pool;
/** One job: `index` says what to do, `worker` (0..threads-1) which scratch memory may be used. */
typedef void (*vdi_job_fn)(int64_t index, int worker, void *user);

/** Make a pool of `threads` workers, the caller among them; 0 means as many as the machine has processors. */
VDI_API VDI_NODISCARD vdi_status vdi_pool_create(int threads, const vdi_allocator *a, vdi_pool **out, vdi_error *err);
VDI_API void vdi_pool_destroy(vdi_pool *pool);
/** Workers of the pool, 1 for NULL. */
VDI_API int vdi_pool_threads(const vdi_pool *pool);
/** Run job(0) ... job(count-1) and return when all are done. Not to be called from inside a job of the same pool,
 *  nor from two threads at once. */
VDI_API void vdi_pool_run(vdi_pool *pool, int64_t count, vdi_job_fn job, void *user);

#endif /* VDI_CORE_POOL_H */
