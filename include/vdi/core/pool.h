/* core/pool.h - a thread pool that sleeps
 *
 * Do this:
 *     vdi_pool *pool;
 *     if (vdi_pool_create(2, NULL, &pool, &err) < 0) ...
 *     vdi_pool_run(pool, 100, job, user);   job(0..99, worker, user), returns when all are done
 *     vdi_pool_destroy(pool);
 *
 * The calling thread works too: a pool of 2 starts one more thread. Which worker takes which job is
 * not fixed, so a job must depend on its index alone; then the bits do not depend on the number of
 * threads. Workers wait on a condition variable and never spin (on a busy machine spinning slows a
 * program down a hundred times). A NULL pool runs the jobs on the caller.
 *
 * What it does not do: futures, priorities, work stealing, nested runs.
 * Memory: one block, taken at create. Threads: one run at a time per pool; distinct pools are
 * independent.
 * Fork: a child has a copy of the pool, but none of its threads. There it runs its jobs on the
 * caller, with the same results, and vdi_pool_destroy only frees the memory; the child may create
 * its own pool (where the system lets it start threads). A job of the parent that was running at
 * that moment is not completed in the child.
 * Errors: if the system refuses a thread, the pool is smaller than requested, which is not an
 * error: vdi_pool_threads returns its size. With VDI_NO_THREADS a pool has one worker.
 */
#ifndef VDI_CORE_POOL_H
#define VDI_CORE_POOL_H
#include "alloc.h"
#include "config.h"
#include "status.h"
#include "win32.h"

/** Most workers of a pool. */
#define VDI_POOL_MAX 1024

/** A pool of threads; NULL is a pool of the caller alone. */
typedef struct vdi_pool vdi_pool;
/** One job: `index` says what to do, `worker` (0..threads-1) which scratch memory may be used. */
typedef void (*vdi_job_fn)(int64_t index, int worker, void *user);

/** Make a pool of `threads` workers, the caller among them; 0 means as many as the machine has
 * processors. *out is NULL on error:
 *  VDI_ERR_ARGUMENT (threads < 0 or > VDI_POOL_MAX, or out NULL), VDI_ERR_MEMORY. */
VDI_API VDI_NODISCARD vdi_status vdi_pool_create(int threads, const vdi_allocator *a,
                                                 vdi_pool **out, vdi_error *err);
/** Wait for the workers to end and give back the memory. NULL is ignored. */
VDI_API void vdi_pool_destroy(vdi_pool *pool);
/** Workers of the pool, 1 for NULL. */
VDI_API int vdi_pool_threads(const vdi_pool *pool);
/** Run job(0) ... job(count-1) and return when all are done; what the jobs wrote is then visible to
 * the caller. The workers round and flush as the caller does at that moment. Not to be called
 * from inside a job of the same pool, nor from two threads at once. count <= 0 does nothing. */
VDI_API void vdi_pool_run(vdi_pool *pool, int64_t count, vdi_job_fn job, void *user);

#endif /* VDI_CORE_POOL_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_POOL_C)
#define VDI_CORE_POOL_C

/* The four things asked of the system: threads, a lock, a condition, the number of processors. What
 * is neither Windows nor a Unix (WASI, bare metal) has no threads. */
#if defined(VDI_NO_THREADS) || (!defined(_WIN32) && !defined(__unix__) && !defined(__APPLE__))
#define VDI__THREADS 0
#elif defined(_WIN32)
#include <fenv.h>
#define VDI__THREADS 1
typedef HANDLE vdi__thread;
typedef SRWLOCK vdi__lock;
typedef CONDITION_VARIABLE vdi__signal;
/* 32-bit Windows enters a thread with its stack aligned to 4 bytes; gcc and clang count on 16. */
#if defined(__i386__)
#define VDI__THREAD_FN(name) \
    __attribute__((force_align_arg_pointer)) static DWORD WINAPI name(LPVOID arg)
#else
#define VDI__THREAD_FN(name) static DWORD WINAPI name(LPVOID arg)
#endif
#define VDI__THREAD_END 0
VDI__FN bool vdi__thread_start(vdi__thread *t, LPTHREAD_START_ROUTINE fn, void *arg) {
    *t = CreateThread(NULL, 0, fn, arg, 0, NULL);
    return *t != NULL;
}
VDI__FN void vdi__thread_join(vdi__thread t) {
    (void)WaitForSingleObject(t, INFINITE);
    (void)CloseHandle(t);
}
VDI__FN bool vdi__lock_init(vdi__lock *l) {
    InitializeSRWLock(l);
    return true;
}
VDI__FN void vdi__lock_free(vdi__lock *l) { (void)l; }
VDI__FN void vdi__lock_take(vdi__lock *l) { AcquireSRWLockExclusive(l); }
VDI__FN void vdi__lock_give(vdi__lock *l) { ReleaseSRWLockExclusive(l); }
VDI__FN bool vdi__signal_init(vdi__signal *s) {
    InitializeConditionVariable(s);
    return true;
}
VDI__FN void vdi__signal_free(vdi__signal *s) { (void)s; }
VDI__FN void vdi__signal_wait(vdi__signal *s, vdi__lock *l) {
    (void)SleepConditionVariableSRW(s, l, INFINITE, 0);
}
VDI__FN void vdi__signal_one(vdi__signal *s) { WakeConditionVariable(s); }
VDI__FN void vdi__signal_all(vdi__signal *s) { WakeAllConditionVariable(s); }
VDI__FN long long vdi__process(void) { return 0; } /* there is no fork */
VDI__FN int vdi__processors(void) {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return (int)info.dwNumberOfProcessors;
}
#else
#define VDI__THREADS 1
#include <fenv.h>
#include <pthread.h>
#include <unistd.h>
typedef pthread_t vdi__thread;
typedef pthread_mutex_t vdi__lock;
typedef pthread_cond_t vdi__signal;
#define VDI__THREAD_FN(name) static void *name(void *arg)
#define VDI__THREAD_END NULL
VDI__FN bool vdi__thread_start(vdi__thread *t, void *(*fn)(void *), void *arg) {
    return pthread_create(t, NULL, fn, arg) == 0;
}
VDI__FN void vdi__thread_join(vdi__thread t) { (void)pthread_join(t, NULL); }
VDI__FN bool vdi__lock_init(vdi__lock *l) { return pthread_mutex_init(l, NULL) == 0; }
VDI__FN void vdi__lock_free(vdi__lock *l) { (void)pthread_mutex_destroy(l); }
VDI__FN void vdi__lock_take(vdi__lock *l) { (void)pthread_mutex_lock(l); }
VDI__FN void vdi__lock_give(vdi__lock *l) { (void)pthread_mutex_unlock(l); }
VDI__FN bool vdi__signal_init(vdi__signal *s) { return pthread_cond_init(s, NULL) == 0; }
VDI__FN void vdi__signal_free(vdi__signal *s) { (void)pthread_cond_destroy(s); }
VDI__FN void vdi__signal_wait(vdi__signal *s, vdi__lock *l) { (void)pthread_cond_wait(s, l); }
VDI__FN void vdi__signal_one(vdi__signal *s) { (void)pthread_cond_signal(s); }
VDI__FN void vdi__signal_all(vdi__signal *s) { (void)pthread_cond_broadcast(s); }
VDI__FN long long vdi__process(void) { return (long long)getpid(); }
VDI__FN int vdi__processors(void) {
#ifdef _SC_NPROCESSORS_ONLN
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > VDI_POOL_MAX ? VDI_POOL_MAX : (int)n;
#else
    return 1;
#endif
}
#endif

#if VDI__THREADS
typedef struct vdi__worker {
    vdi_pool *pool;
    vdi__thread thread;
    int number;
} vdi__worker;
#endif

struct vdi_pool {
    vdi_allocator allocator;
    size_t size; /* bytes of the whole block */
    int threads;
#if VDI__THREADS
    vdi__lock lock;       /* guards all that follows */
    vdi__signal work;     /* there are jobs, or the end */
    vdi__signal finished; /* the last job is done */
    vdi_job_fn job;
    void *user;
    fenv_t environment;  /* of the caller: how it rounds, what it flushes, the width of its x87 */
    int64_t next, count; /* next job to be handed out, and how many there are */
    int64_t left;        /* jobs not yet done */
    bool quit;
    long long process;    /* that made it */
    vdi__worker *workers; /* threads - 1 */
#endif
};

#if VDI__THREADS
/* Take jobs until none is left; called, and returns, with the lock held. Few jobs are handed out
   one by one, many in slices that shrink towards the end, so that the lock costs little and no
   worker ends long after the others. */
VDI__FN void vdi__pool_work(vdi_pool *pool, int worker) {
    while (pool->next < pool->count) {
        vdi_job_fn job = pool->job;
        void *user = pool->user;
        int64_t first = pool->next, slice = (pool->count - first) / (8 * pool->threads) + 1;
        pool->next += slice;
        vdi__lock_give(&pool->lock);
        for (int64_t i = first; i < first + slice; i++)
            job(i, worker, user);
        vdi__lock_take(&pool->lock);
        pool->left -= slice;
        if (pool->left == 0) vdi__signal_one(&pool->finished);
    }
}

VDI__THREAD_FN(vdi__pool_thread) {
    vdi__worker *w = (vdi__worker *)arg;
    vdi_pool *pool = w->pool;
    vdi__lock_take(&pool->lock);
    while (!pool->quit) {
        if (pool->next < pool->count) (void)fesetenv(&pool->environment);
        vdi__pool_work(pool, w->number);
        if (!pool->quit) vdi__signal_wait(&pool->work, &pool->lock);
    }
    vdi__lock_give(&pool->lock);
    return VDI__THREAD_END;
}
#endif

VDI__DEF vdi_status vdi_pool_create(int threads, const vdi_allocator *a, vdi_pool **out,
                                    vdi_error *err) {
    if (!out) return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_pool_create", "out is NULL");
    *out = NULL;
    if (threads < 0 || threads > VDI_POOL_MAX) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_pool_create",
                             "threads is %d, expected 0 to %d", threads, VDI_POOL_MAX);
    }
#if VDI__THREADS
    if (threads == 0) threads = vdi__processors();
    size_t head = vdi_align_size(sizeof(vdi_pool));
    size_t size = head + (size_t)(threads - 1) * sizeof(vdi__worker);
#else
    threads = 1;
    size_t size = sizeof(vdi_pool);
#endif
    vdi_pool *pool = (vdi_pool *)vdi_alloc(a, size);
    if (!pool) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_pool_create", "no memory for %d workers",
                             threads);
    }
    memset(pool, 0, sizeof *pool);
    pool->allocator = vdi_allocator_defaults(a);
    pool->size = size;
    pool->threads = 1;
#if VDI__THREADS
    pool->process = vdi__process();
    pool->workers = (vdi__worker *)(void *)((char *)pool + head);
    bool lock = vdi__lock_init(&pool->lock), work = lock && vdi__signal_init(&pool->work);
    if (!work || !vdi__signal_init(&pool->finished)) {
        if (work) vdi__signal_free(&pool->work);
        if (lock) vdi__lock_free(&pool->lock);
        vdi_free(a, pool, size);
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_pool_create", "the system gives no lock");
    }
    vdi__lock_take(&pool->lock); /* the new threads read `threads` only once all are there */
    for (; pool->threads < threads; pool->threads++) {
        vdi__worker *w = pool->workers + (pool->threads - 1);
        w->pool = pool;
        w->number = pool->threads;
        if (!vdi__thread_start(&w->thread, vdi__pool_thread, w)) break;
    }
    vdi__lock_give(&pool->lock);
#endif
    *out = pool;
    return VDI_OK;
}

#if VDI__THREADS
/* Are the pool's threads in this process? A child of fork has a copy of the pool, whose lock and
 * signals may have been copied in the middle of a run, and none of its threads. */
VDI__FN bool vdi__pool_is_here(const vdi_pool *pool) { return pool->process == vdi__process(); }

VDI__FN void vdi__pool_end(vdi_pool *pool) {
    vdi__lock_take(&pool->lock);
    pool->quit = true;
    vdi__signal_all(&pool->work);
    vdi__lock_give(&pool->lock);
    for (int i = 0; i < pool->threads - 1; i++)
        vdi__thread_join(pool->workers[i].thread);
    vdi__signal_free(&pool->finished);
    vdi__signal_free(&pool->work);
    vdi__lock_free(&pool->lock);
}
#endif

VDI__DEF void vdi_pool_destroy(vdi_pool *pool) {
    if (!pool) return;
    vdi_allocator a = pool->allocator;
#if VDI__THREADS
    if (vdi__pool_is_here(pool)) vdi__pool_end(pool);
#endif
    vdi_free(&a, pool, pool->size);
}

VDI__DEF int vdi_pool_threads(const vdi_pool *pool) { return pool ? pool->threads : 1; }

VDI__DEF void vdi_pool_run(vdi_pool *pool, int64_t count, vdi_job_fn job, void *user) {
#if VDI__THREADS
    if (pool && pool->threads > 1 && count > 1 && vdi__pool_is_here(pool)) {
        int64_t wake = VDI__MIN(count, pool->threads) - 1;
        vdi__lock_take(&pool->lock);
        pool->job = job;
        pool->user = user;
        (void)fegetenv(&pool->environment);
        pool->next = 0;
        pool->count = pool->left = count;
        vdi__lock_give(&pool->lock); /* so that who wakes up need not wait for us */
        if (wake == pool->threads - 1) {
            vdi__signal_all(&pool->work);
        } else {
            for (int64_t i = 0; i < wake; i++)
                vdi__signal_one(&pool->work);
        }
        vdi__lock_take(&pool->lock);
        vdi__pool_work(pool, 0);
        while (pool->left > 0)
            vdi__signal_wait(&pool->finished, &pool->lock);
        vdi__lock_give(&pool->lock);
        return;
    }
#endif
    (void)pool;
    for (int64_t i = 0; i < count; i++)
        job(i, 0, user);
}
#endif
