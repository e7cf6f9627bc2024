/* core/alloc, core/status, core/log: memory that is counted, errors and messages */
#include "check.h"

static bool aligned(const void *p) { return p && (uintptr_t)p % VDI_ALIGN == 0; }

TEST(alloc, default_allocator) {
    for (size_t size = 0; size < 300; size += 7) {
        unsigned char *p = (unsigned char *)vdi_alloc(NULL, size);
        CHECK(aligned(p), "%zu bytes", size);
        memset(p, 0xa5, size);
        vdi_free(NULL, p, size);
    }
    vdi_free(NULL, NULL, 5);
    CHECK(vdi_alloc(NULL, SIZE_MAX) == NULL && vdi_alloc(NULL, SIZE_MAX - 70) == NULL,
          "memory that can't be");
    vdi_allocator zero = VDI__ZERO, filled = vdi_allocator_defaults(&zero);
    CHECK(filled.alloc_fn && filled.free_fn, "zero means malloc and free");
    CHECK(vdi_align_size(0) == 0 && vdi_align_size(1) == 64 && vdi_align_size(64) == 64 &&
              vdi_align_size(65) == 128,
          "align");
    CHECK(vdi_align_size(SIZE_MAX) == SIZE_MAX && vdi_align_size(SIZE_MAX - 62) == SIZE_MAX &&
              vdi_align_size(SIZE_MAX - 63) == SIZE_MAX - 63,
          "align");
    CHECK(vdi_mul_size(0, SIZE_MAX) == 0 && vdi_mul_size(SIZE_MAX, 1) == SIZE_MAX &&
              vdi_mul_size(SIZE_MAX / 2 + 1, 2) == SIZE_MAX,
          "mul");
    CHECK(vdi_mul_size(3, 5) == 15 && vdi_add_size(3, 5) == 8 &&
              vdi_add_size(SIZE_MAX, 1) == SIZE_MAX && vdi_add_size(SIZE_MAX - 1, 1) == SIZE_MAX,
          "add");
}

TEST(alloc, sizes_that_overflow) {
    static const int64_t bad[] = {INT64_MIN, -1, INT64_MAX, INT64_MAX / 2};
    CHECK(vdi_array_size(8, 3, 5, 7) == 840 && vdi_array_size(8, 3, 0, 7) == 0);
    CHECK(vdi_array_size(1, (int64_t)(SIZE_MAX / 4), 2, 2) == SIZE_MAX - 3);
    CHECK(vdi_array_size(1, (int64_t)(SIZE_MAX / 4 + 1), 2, 2) == SIZE_MAX, "just too large");
    for (size_t i = 0; i < VDI__COUNT(bad); i++) {
        CHECK(vdi_array_size(8, bad[i], 3, 5) == SIZE_MAX, "%lld", (long long)bad[i]);
        CHECK(vdi_array_size(8, 3, bad[i], 5) == SIZE_MAX, "%lld", (long long)bad[i]);
        CHECK(vdi_array_size(8, 3, 5, bad[i]) == SIZE_MAX, "%lld", (long long)bad[i]);
    }
    /* what overflowed stays so, and no allocator is asked for it */
    test_allocator t = {0, 0, 0, 0};
    vdi_allocator a = test_allocator_of(&t);
    vdi_arena arena;
    const size_t size = vdi_add_size(vdi_mul_size(vdi_array_size(8, INT64_MAX, 3, 5), 7), 100);
    CHECK(size == SIZE_MAX && vdi_alloc(&a, size) == NULL &&
          vdi_alloc(&a, SIZE_MAX / 2 + 1) == NULL);
    vdi_arena_init(&arena, &a, 0);
    CHECK(vdi_arena_alloc(&arena, size) == NULL && vdi_arena_calloc(&arena, size) == NULL);
    CHECK(t.requests == 0, "%ld requests", t.requests);
}

/* Take blocks of many sizes, fill each with its number. */
static int take(vdi_arena *arena, int count, unsigned char **block, size_t *size) {
    for (int i = 0; i < count; i++) {
        size[i] = (size_t)(i * 37 % 211) * (i % 5 == 4 ? 40 : 1);
        block[i] = (unsigned char *)(i % 2 ? vdi_arena_alloc(arena, size[i])
                                           : vdi_arena_calloc(arena, size[i]));
        if (!block[i]) return i;
        CHECK(aligned(block[i]), "block %d", i);
        for (size_t k = 0; i % 2 == 0 && k < size[i]; k++)
            CHECK(block[i][k] == 0, "block %d is not cleared", i);
        memset(block[i], i & 255, size[i]);
    }
    return count;
}
static int damaged(int from, int to, unsigned char **block, const size_t *size) {
    int bad = 0;
    for (int i = from; i < to; i++) {
        for (size_t k = 0; k < size[i]; k++)
            bad += block[i][k] != (i & 255);
    }
    return bad;
}

enum { BLOCKS = 300 };

TEST(alloc, arena) {
    unsigned char *block[BLOCKS];
    size_t size[BLOCKS];
    test_allocator t = {0, 0, 0, 0};
    vdi_allocator a = test_allocator_of(&t);
    vdi_arena arena;
    vdi_arena_init(&arena, &a, 1000);
    CHECK(t.requests == 0, "init allocates");
    CHECK(take(&arena, BLOCKS, block, size) == BLOCKS && damaged(0, BLOCKS, block, size) == 0,
          "blocks overlap");
    CHECK(arena.used == arena.peak && t.requests > 2, "used %zu, peak %zu", arena.used, arena.peak);
    size_t used = arena.used;
    long requests = t.requests;
    for (int round = 0; round < 3; round++) {
        /* the same requests again: no call, the same places */
        unsigned char *again[BLOCKS];
        vdi_arena_reset(&arena);
        CHECK(arena.used == 0 && arena.peak == used);
        CHECK(take(&arena, BLOCKS, again, size) == BLOCKS &&
                  memcmp(again, block, sizeof block) == 0 && arena.used == used,
              "round %d", round);
    }
    CHECK(t.requests == requests, "a reset arena asked %ld times", t.requests - requests);
    /* a larger round grows it; what was too small for one request is not lost to the next round */
    vdi_arena_reset(&arena);
    void *large = vdi_arena_alloc(&arena, 10 * used);
    CHECK(aligned(large));
    CHECK(take(&arena, BLOCKS, block, size) == BLOCKS && damaged(0, BLOCKS, block, size) == 0);
    requests = t.requests;
    vdi_arena_reset(&arena);
    CHECK(vdi_arena_alloc(&arena, 10 * used) == large);
    CHECK(take(&arena, BLOCKS, block, size) == BLOCKS && t.requests == requests, "asked again");
    CHECK(vdi_arena_alloc(&arena, SIZE_MAX) == NULL &&
              vdi_arena_alloc(&arena, SIZE_MAX - 200) == NULL,
          "memory that can't be");
    CHECK(damaged(0, BLOCKS, block, size) == 0);
    vdi_arena_free(&arena);
    CHECK(t.live == 0, "%ld chunks left", t.live);
    CHECK(take(&arena, 5, block, size) == 5, "a freed arena may be used again");
    vdi_arena_free(&arena);
    vdi_arena_free(&arena);
    CHECK(t.live == 0, "%ld chunks left", t.live);
}

TEST(alloc, arena_marks) {
    unsigned char *block[BLOCKS], *again[BLOCKS];
    size_t size[BLOCKS];
    test_allocator t = {0, 0, 0, 0};
    vdi_allocator a = test_allocator_of(&t);
    for (int cut = 0; cut < BLOCKS; cut += 7) {
        vdi_arena arena;
        vdi_arena_init(&arena, &a, 500);
        CHECK(take(&arena, cut, block, size) == cut);
        vdi_arena_mark mark = vdi_arena_get_mark(&arena);
        size_t used = arena.used;
        long requests = 0;
        for (int round = 0; round < 3; round++) {
            /* what stood before the mark stays, the rest comes to the same places */
            int got = 0;
            for (int i = cut; i < BLOCKS; i++, got++) {
                size[i] = (size_t)(i * 31 % 400);
                again[i] = (unsigned char *)vdi_arena_alloc(&arena, size[i]);
                CHECK(aligned(again[i]));
                memset(again[i], i & 255, size[i]);
                CHECK(round == 0 || again[i] == block[i], "cut %d: block %d moved", cut, i);
                block[i] = again[i];
            }
            CHECK(damaged(0, BLOCKS, block, size) == 0, "cut %d", cut);
            CHECK(round == 0 || t.requests == requests, "cut %d: a rewound arena asks again", cut);
            requests = t.requests;
            vdi_arena_rewind(&arena, mark);
            CHECK(arena.used == used && damaged(0, cut, block, size) == 0,
                  "cut %d: used %zu, not %zu", cut, arena.used, used);
        }
        vdi_arena_free(&arena);
    }
    CHECK(t.live == 0, "%ld left", t.live);
}

TEST(alloc, arena_in_a_block) {
    static unsigned char memory[20000];
    unsigned char *block[BLOCKS];
    size_t size[BLOCKS];
    for (size_t offset = 0; offset < 70; offset += 3) {
        for (size_t length = 0; length < 20000 - 100; length = length * 2 + 5) {
            vdi_arena arena;
            memset(memory, 0xee, sizeof memory);
            vdi_arena_init_block(&arena, memory + offset, length);
            int got = take(&arena, BLOCKS, block, size), spilt = 0;
            for (size_t i = 0; i < sizeof memory; i++)
                spilt += (i < offset || i >= offset + length) && memory[i] != 0xee;
            CHECK(got < BLOCKS && spilt == 0, "%d blocks, %d bytes outside", got, spilt);
            CHECK(length < 1000 || got >= 4, "only %d blocks in %zu bytes", got, length);
            CHECK(damaged(0, got, block, size) == 0);
            size_t used = arena.used;
            vdi_arena_reset(&arena);
            CHECK(take(&arena, BLOCKS, block, size) == got && arena.used == used, "after a reset");
            vdi_arena_free(&arena);
        }
    }
    vdi_arena arena;
    vdi_arena_init_block(&arena, NULL, 1000);
    CHECK(vdi_arena_alloc(&arena, 1) == NULL, "memory from nowhere");
    vdi_arena_reset(&arena);
    vdi_arena_free(&arena);
}

TEST(alloc, failure_everywhere) {
    unsigned char *block[BLOCKS];
    size_t size[BLOCKS];
    for (int forever = 0; forever < 2; forever++) {
        for (long fail_at = 1; fail_at < 30; fail_at++) {
            test_allocator t = {0, 0, 0, 0};
            t.fail_at = fail_at;
            t.forever = forever;
            vdi_allocator a = test_allocator_of(&t);
            vdi_arena arena;
            vdi_arena_init(&arena, &a, 256);
            int got = take(&arena, BLOCKS, block, size);
            CHECK((got == BLOCKS) == (t.requests < fail_at), "%d blocks, request %ld of %ld failed",
                  got, fail_at, t.requests);
            CHECK(damaged(0, got, block, size) == 0);
            if (got < BLOCKS) {
                /* smaller requests may go on, and after the shortage all is as before */
                size_t used = arena.used;
                t.forever = 0;
                CHECK(vdi_arena_alloc(&arena, 5000) != NULL &&
                      arena.used == used + vdi_align_size(5000) &&
                      damaged(0, got, block, size) == 0);
                vdi_arena_reset(&arena);
                CHECK(take(&arena, BLOCKS, block, size) == BLOCKS &&
                      damaged(0, BLOCKS, block, size) == 0);
            }
            vdi_arena_free(&arena);
            CHECK(t.live == 0, "%ld left", t.live);
            /* tensors */
            int64_t shape[3] = {2, 3, 4};
            vdi_tensor tensor;
            vdi_error err = VDI__ZERO;
            t.requests = 0;
            t.forever = forever;
            for (long i = 1; i <= fail_at; i++) {
                vdi_status s = vdi_tensor_alloc(&a, VDI_F64, 3, shape, &tensor, &err);
                CHECK(s == (i == fail_at ? VDI_ERR_MEMORY : VDI_OK) &&
                          vdi_tensor_ok(tensor) == (i != fail_at),
                      "request %ld", i);
                if (s != VDI_OK)
                    CHECK(err.status == s && strstr(err.message, "192"), "%s", err.message);
                vdi_tensor_free(&a, &tensor);
                CHECK(!vdi_tensor_ok(tensor) && t.live == 0);
            }
        }
    }
}

static void remember(const vdi_log_record *record, void *user) {
    snprintf((char *)user, 400, "%d %s %s", (int)record->level, record->where, record->message);
}

TEST(alloc, version) {
    char text[32];
    const int number = VDI_VERSION_NUMBER;
    snprintf(text, sizeof text, "%d.%d.%d", number / 10000, number / 100 % 100, number % 100);
    CHECK(strcmp(text, VDI_VERSION) == 0, "VDI_VERSION_NUMBER is %d, VDI_VERSION %s", number,
          VDI_VERSION);
    CHECK(strcmp(vdi_version(), VDI_VERSION) == 0, "vdi_version() is %s", vdi_version());
#if VDI_VERSION_NUMBER < 100
    CHECK(0, "#if takes VDI_VERSION_NUMBER for %d", number);
#endif
}

/* Flags that fail it: make check-flags. */
TEST(alloc, arithmetic) {
    vdi_error err;
    CHECK_OK(vdi_arithmetic_check(&err), err);
    CHECK(vdi_arithmetic_check(NULL) == VDI_OK);
}

TEST(alloc, status_and_log) {
    for (int i = -20; i < 20; i++) {
        const char *name = vdi_status_name((vdi_status)i);
        CHECK(name && name[0], "status %d has no name", i);
        for (int k = -11; k <= 3; k++) {
            CHECK(i == k || i < -11 || i > 3 || strcmp(name, vdi_status_name((vdi_status)k)) != 0,
                  "%d and %d share a name", i, k);
        }
    }
    vdi_error err;
    memset(&err, '#', sizeof err);
    CHECK(vdi_error_set(&err, VDI_ERR_SHAPE, "here", "W is (%d,%d), x is (%lld,%zu): %s %g", 64, 3,
                        10LL, (size_t)4, "differ", 0.5) == VDI_ERR_SHAPE);
    CHECK(err.status == VDI_ERR_SHAPE &&
              strcmp(err.message, "W is (64,3), x is (10,4): differ 0.5") == 0 &&
              strcmp(err.where, "here") == 0,
          "%s", err.message);
    CHECK(vdi_error_set(NULL, VDI_ERR_IO, "here", "%d", 1) == VDI_ERR_IO);
    char longer[500];
    memset(longer, 'x', sizeof longer);
    longer[499] = 0;
    (void)vdi_error_set(&err, VDI_ERR_IO, longer, "%s", longer);
    CHECK(strlen(err.message) == sizeof err.message - 1 &&
              strlen(err.where) == sizeof err.where - 1,
          "%zu, %zu", strlen(err.message), strlen(err.where));
    const char *volatile nothing = NULL; /* volatile, or the compiler warns of the format */
    (void)vdi_error_set(&err, VDI_ERR_IO, NULL, "%s|", nothing);
    CHECK(strcmp(err.message, "|") == 0 && err.where[0] == 0, "%s", err.message);

    char said[400] = "";
    vdi_logger logger, silent = VDI__ZERO;
    logger.log_fn = remember;
    logger.user = said;
    vdi_log_message(NULL, VDI_LOG_INFO, "f", "nobody hears %d", 1);
    vdi_log_message(&silent, VDI_LOG_INFO, "f", "nobody hears %d", 1);
    vdi_log_message(&logger, VDI_LOG_WARNING, "f", "iteration %d: %.4g", 7, -12.34567);
    CHECK(strcmp(said, "2 f iteration 7: -12.35") == 0, "%s", said);
    vdi_log_message(&logger, VDI_LOG_DEBUG, "f", "%s", longer);
    CHECK(strlen(said) > 200 && strlen(said) < 270, "%zu", strlen(said));
}
