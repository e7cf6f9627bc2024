/* core/pool: every job once, results that do not show the threads, threads that sleep */
#include "check.h"
#include <fenv.h>
#include <time.h>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif

typedef struct pool_jobs {
    int64_t count;
    int threads;
    unsigned char *times;         /* (count): how often each job ran */
    double *result;               /* (count) */
    int64_t worker[VDI_POOL_MAX]; /* jobs of each worker: its own memory */
} pool_jobs;

static void count_job(int64_t i, int worker, void *user) {
    pool_jobs *p = (pool_jobs *)user;
    if (i < 0 || i >= p->count || worker < 0 || worker >= p->threads) abort();
    p->times[i]++;
    p->worker[worker]++;
    double x = (double)i + 1;
    for (int k = 0; k < 20; k++)
        x = x * 0.75 + 1 / x;
    p->result[i] = x;
}

TEST(pool, every_job_once) {
    static unsigned char times[20000];
    static double result[20000], expected[20000];
    static pool_jobs p;
    static const int64_t counts[] = {0, 1, 2, 3, 7, 8, 9, 100, 1000, 20000};
    vdi_error err;
    for (int threads = 0; threads <= 9; threads++) {
        vdi_pool *pool = NULL;
        /* threads = 0: a NULL pool */
        if (threads) CHECK_OK(vdi_pool_create(threads, NULL, &pool, &err), err);
        int workers = vdi_pool_threads(pool);
        CHECK(workers >= 1 && workers <= VDI__MAX(threads, 1), "asked for %d, have %d", threads,
              workers);
        for (size_t c = 0; c < VDI__COUNT(counts); c++) {
            for (int round = 0; round < 5; round++) {
                memset(&p, 0, sizeof p);
                memset(times, 0, sizeof times);
                p.count = counts[c];
                p.threads = workers;
                p.times = times;
                p.result = result;
                vdi_pool_run(pool, counts[c], count_job, &p);
                int64_t wrong = 0, taken = 0;
                for (int64_t i = 0; i < counts[c]; i++)
                    wrong += times[i] != 1;
                for (int i = 0; i < workers; i++)
                    taken += p.worker[i];
                CHECK(wrong == 0 && taken == counts[c],
                      "%d threads: %lld of %lld jobs not run once", threads, (long long)wrong,
                      (long long)counts[c]);
                if (threads == 0) memcpy(expected, result, sizeof expected);
                if (threads == 0 || counts[c] < 20000) continue;
                CHECK(memcmp(result, expected, sizeof expected) == 0, "%d threads give other bits",
                      threads);
            }
        }
        vdi_pool_destroy(pool);
    }
    vdi_pool_run(NULL, -5, count_job, &p);
}

#ifdef FE_UPWARD
enum { DIVISIONS = 300 };
typedef struct division {
    double result[DIVISIONS];
    int by_threads;
} division;
static void divide(int64_t i, int worker, void *user) {
    division *d = (division *)user;
    volatile double x = (double)i + 1;
    for (int k = 0; k < 2000; k++)
        x = x / 3 + 1;
    d->result[i] = x;
    if (worker == 1) d->by_threads++;
}

/* The caller may change how it rounds after it has made its pool. */
TEST(pool, rounds_as_its_caller) {
    static division plain, alone, shared;
    const size_t size = sizeof plain.result;
    vdi_pool *pool = NULL;
    vdi_error err;
    CHECK_OK(vdi_pool_create(2, NULL, &pool, &err), err);
    const int before = fegetround();
    vdi_pool_run(NULL, DIVISIONS, divide, &plain);
    CHECK(fesetround(FE_UPWARD) == 0);
    vdi_pool_run(NULL, DIVISIONS, divide, &alone);
    /* on a busy machine the caller may be done before a thread wakes up */
    for (int round = 0; round < 50 && vdi_pool_threads(pool) > 1 && !shared.by_threads; round++)
        vdi_pool_run(pool, DIVISIONS, divide, &shared);
    CHECK(fesetround(before) == 0);
    CHECK(memcmp(plain.result, alone.result, size) != 0, "upward is the same as to nearest");
    CHECK(!shared.by_threads || memcmp(shared.result, alone.result, size) == 0,
          "the threads round otherwise");
    shared.by_threads = 0;
    for (int round = 0; round < 50 && vdi_pool_threads(pool) > 1 && !shared.by_threads; round++)
        vdi_pool_run(pool, DIVISIONS, divide, &shared);
    CHECK(!shared.by_threads || memcmp(shared.result, plain.result, size) == 0,
          "the threads still round upward");
    vdi_pool_destroy(pool);
}
#endif

static void nothing(int64_t i, int worker, void *user) {
    (void)i;
    (void)worker;
    (void)user;
}

TEST(pool, create_and_destroy) {
    vdi_error err;
    vdi_pool *pool = (vdi_pool *)&err;
    CHECK_FAILS(vdi_pool_create(-1, NULL, &pool, &err), VDI_ERR_ARGUMENT);
    CHECK(pool == NULL && strstr(err.message, "-1"), "%s", err.message);
    CHECK_FAILS(vdi_pool_create(VDI_POOL_MAX + 1, NULL, &pool, NULL), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_pool_create(1, NULL, NULL, &err), VDI_ERR_ARGUMENT);
    CHECK_OK(vdi_pool_create(0, NULL, &pool, &err), err);
    CHECK(vdi_pool_threads(pool) >= 1);
    vdi_pool_destroy(pool);
    vdi_pool_destroy(NULL);
    test_allocator t = {0, 0, 0, 0};
    vdi_allocator a = test_allocator_of(&t);
    for (t.fail_at = 1; t.fail_at < 10; t.fail_at++) {
        t.requests = 0;
        vdi_status s = vdi_pool_create(3, &a, &pool, &err);
        if (s == VDI_OK) break;
        CHECK(s == VDI_ERR_MEMORY && pool == NULL && t.live == 0, "request %ld", t.fail_at);
    }
    CHECK(t.fail_at > 1 && t.fail_at < 10 && t.live > 0, "the allocator was not used");
    long requests = t.requests;
    vdi_pool_run(pool, 50, nothing, NULL);
    CHECK(t.requests == requests, "a run allocates");
    vdi_pool_destroy(pool);
    CHECK(t.live == 0, "%ld blocks left", t.live);
    for (int i = 0; i < 200; i++) { /* ends that meet beginnings */
        CHECK_OK(vdi_pool_create(2 + i % 3, NULL, &pool, &err), err);
        if (i % 2) vdi_pool_run(pool, i, nothing, NULL);
        vdi_pool_destroy(pool);
    }
}

TEST(pool, sleeps) {
    vdi_error err;
    vdi_pool *pool;
#if defined(_WIN32) || defined(__wasi__)
    SKIP("clock() tells the time that has passed, not what the processor gave");
#endif
    CHECK_OK(vdi_pool_create(4, NULL, &pool, &err), err);
    vdi_pool_run(pool, 8, nothing, NULL);
    /* 0.1 s of rest: clock() counts the time of all threads */
    time_t begin = time(NULL);
    clock_t before = clock();
    while (time(NULL) - begin < 1) {
        struct timespec rest = {0, 20000000};
        nanosleep(&rest, NULL);
    }
    double used = (double)(clock() - before) / CLOCKS_PER_SEC;
    CHECK(used < 0.2, "an idle pool used %.3f s in a second", used);
    vdi_pool_destroy(pool);
}

#if defined(__unix__) || defined(__APPLE__)
/* What a child does with its parent's pool: run jobs, destroy it, make one of its own. */
static int in_the_child(vdi_pool *pool) {
    static unsigned char times[1000];
    static double result[1000];
    static pool_jobs p;
    for (int round = 0; round < 2; round++) {
        memset(&p, 0, sizeof p);
        memset(times, 0, sizeof times);
        p.count = 1000;
        p.threads = vdi_pool_threads(pool);
        p.times = times;
        p.result = result;
        vdi_pool_run(pool, 1000, count_job, &p);
        for (int i = 0; i < 1000; i++) {
            if (times[i] != 1) return 2 + round;
        }
        if (round == 0 && p.worker[0] != 1000) return 4; /* all of them on the caller */
        vdi_pool_destroy(pool);
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
        break; /* one lets a child make no threads, the other may hold its own lock at the fork */
#endif
        if (round == 0 && vdi_pool_create(3, NULL, &pool, NULL) < 0) return 5;
    }
    return 0;
}

/* Fork; 0 if the child did all that within ten seconds. */
static int forked(vdi_pool *pool) {
    int status = -1;
    fflush(stdout); /* or the child would say it again */
    pid_t child = fork();
    if (child == 0) {
        alarm(10); /* a child that hangs dies of it */
        _exit(in_the_child(pool));
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static vdi_pool *forking;
static void fork_in_a_job(int64_t i, int worker, void *user) {
    int *outcome = (int *)user;
    (void)worker;
    if (i % 16 == 7) outcome[i / 16] = forked(forking);
}

TEST(pool, a_child_of_fork) {
    vdi_error err;
    if (getenv("VDI_TEST_NO_FORK")) SKIP("qemu-user itself fails in a child of several threads");
    for (int threads = 1; threads <= 4; threads++) {
        int outcome[4] = {-1, -1, -1, -1};
        CHECK_OK(vdi_pool_create(threads, NULL, &forking, &err), err);
        CHECK(forked(forking) == 0, "%d threads, before any run", threads);
        vdi_pool_run(forking, 100, nothing, NULL);
        int idle = forked(forking);
        CHECK(idle == 0, "%d threads, idle: %d", threads, idle);
        /* in the middle of a run, from the caller and from its threads */
        vdi_pool_run(forking, 64, fork_in_a_job, outcome);
        for (int i = 0; i < 4; i++)
            CHECK(outcome[i] == 0, "%d threads, in job %d: %d", threads, 16 * i + 7, outcome[i]);
        vdi_pool_run(forking, 100, nothing, NULL); /* the parent's pool goes on */
        vdi_pool_destroy(forking);
    }
}
#endif
