/* core/alloc.h - the allocator that a user may replace, and arenas on top of it
 *
 * Do this:
 *     vdi_arena a;
 *     vdi_arena_init(&a, NULL, 0);                     NULL: malloc and free
 *     double *x = (double *)vdi_arena_alloc(&a, 100 * sizeof *x);      NULL when memory is out
 *     vdi_arena_reset(&a);                             keeps the memory for the next round
 *     vdi_arena_free(&a);
 *
 * An arena allocates blocks aligned to 64 bytes and frees them all at once. It is not thread-safe:
 * one per thread. After a reset the same sequence of requests makes no call to the allocator.
 */
#ifndef VDI_CORE_ALLOC_H
#define VDI_CORE_ALLOC_H
#include "config.h"
#include "status.h"

/** What vdi_alloc aligns to, in bytes: a cache line, and the widest vector. */
#define VDI_ALIGN 64

/** Where memory comes from. Members are called alloc_fn and free_fn because `free` may be a
 * macro. */
typedef struct vdi_allocator {
    void *(*alloc_fn)(size_t size, size_t align, void *user); /**< NULL on failure; `align` is a
                                                                   power of two */
    void (*free_fn)(void *p, size_t size, size_t align, void *user);
    /**< with the size and alignment that were asked for */
    void *user; /**< handed to both */
} vdi_allocator;

/** The filled allocator: `a`, or malloc and free where `a` is NULL or all zero. */
VDI_API vdi_allocator vdi_allocator_defaults(const vdi_allocator *a);
/** `size` bytes aligned to VDI_ALIGN, not cleared; NULL on failure. Size 0 gives a block that may
 * be freed. */
VDI_API void *vdi_alloc(const vdi_allocator *a, size_t size);
/** Give back what vdi_alloc gave; `size` as asked for. NULL is ignored. */
VDI_API void vdi_free(const vdi_allocator *a, void *p, size_t size);

struct vdi__chunk;
/** A stack of blocks. Treat the members as private. */
typedef struct vdi_arena {
    vdi_allocator allocator;
    struct vdi__chunk *first, *current;
    size_t chunk_size; /* size of the next chunk */
    size_t used, peak; /* bytes handed out now, and at most */
    bool fixed;        /* lives in a caller's block: never grows */
} vdi_arena;

/** A place in an arena to go back to. Treat the members as private. */
typedef struct vdi_arena_mark {
    struct vdi__chunk *chunk;
    size_t chunk_used, used;
} vdi_arena_mark;

/** Start an arena; `chunk_size` 0 gives 64 KiB (chunks double as it grows). Allocates nothing
 * yet. */
VDI_API void vdi_arena_init(vdi_arena *arena, const vdi_allocator *a, size_t chunk_size);
/** Start an arena inside the caller's block; it never allocates, and fails when the block is
 * full. */
VDI_API void vdi_arena_init_block(vdi_arena *arena, void *block, size_t size);
/** `size` bytes aligned to VDI_ALIGN, not cleared; NULL when memory is out. */
VDI_API void *vdi_arena_alloc(vdi_arena *arena, size_t size);
/** As vdi_arena_alloc, cleared to zero. */
VDI_API void *vdi_arena_calloc(vdi_arena *arena, size_t size);
VDI_API vdi_arena_mark vdi_arena_get_mark(const vdi_arena *arena);
/** Take back everything handed out since the mark. */
VDI_API void vdi_arena_rewind(vdi_arena *arena, vdi_arena_mark mark);
/** Take back everything; keeps the memory. */
VDI_API void vdi_arena_reset(vdi_arena *arena);
/** Give all memory back to the allocator. */
VDI_API void vdi_arena_free(vdi_arena *arena);

/** Bytes that `size` takes in an arena or a caller's block: rounded up to VDI_ALIGN. SIZE_MAX on
 * overflow. */
VDI__INLINE size_t vdi_align_size(size_t size) {
    return size > SIZE_MAX - (VDI_ALIGN - 1) ? SIZE_MAX
                                             : (size + (VDI_ALIGN - 1)) & ~(size_t)(VDI_ALIGN - 1);
}
/* Sizes that come from a user or a file are multiplied and added by these alone. SIZE_MAX stands
 * for
 * "too large" and stays so through further steps; vdi_alloc and the arenas refuse it. */

/** a * b, or SIZE_MAX where it overflows. */
VDI__INLINE size_t vdi_mul_size(size_t a, size_t b) {
    return a && b > SIZE_MAX / a ? SIZE_MAX : a * b;
}
/** a + b, or SIZE_MAX where it overflows. */
VDI__INLINE size_t vdi_add_size(size_t a, size_t b) { return b > SIZE_MAX - a ? SIZE_MAX : a + b; }
/** Bytes of an array (n0,n1,n2) of elements of `size` bytes; SIZE_MAX where an extent is negative
 * or the product overflows. */
VDI__INLINE size_t vdi_array_size(size_t size, int64_t n0, int64_t n1, int64_t n2) {
    if (n0 < 0 || n1 < 0 || n2 < 0) return SIZE_MAX;
    const uint64_t most = SIZE_MAX, m0 = (uint64_t)n0, m1 = (uint64_t)n1, m2 = (uint64_t)n2;
    if (m0 > most || m1 > most || m2 > most) return SIZE_MAX;
    return vdi_mul_size(vdi_mul_size(vdi_mul_size(size, (size_t)m0), (size_t)m1), (size_t)m2);
}

/* Before the data of each chunk of an arena, in bytes. */
#define VDI__CHUNK_HEADER VDI_ALIGN

#endif /* VDI_CORE_ALLOC_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_ALLOC_C)
#define VDI_CORE_ALLOC_C

/* ISO C has no aligned_alloc that every C library offers, so the block start is kept just below the
 * aligned address. */
VDI__FN void *vdi__default_alloc(size_t size, size_t align, void *user) {
    (void)user;
    size_t total = vdi_add_size(size, align + sizeof(void *));
    char *raw = total == SIZE_MAX ? NULL : (char *)malloc(total);
    if (!raw) return NULL;
    uintptr_t at = ((uintptr_t)raw + sizeof(void *) + align - 1) & ~(uintptr_t)(align - 1);
    char *p = raw + (at - (uintptr_t)raw);
    memcpy(p - sizeof(void *), &raw, sizeof raw);
    return p;
}

VDI__FN void vdi__default_free(void *p, size_t size, size_t align, void *user) {
    (void)size;
    (void)align;
    (void)user;
    void *raw;
    memcpy(&raw, (char *)p - sizeof(void *), sizeof raw);
    free(raw);
}

VDI__DEF vdi_allocator vdi_allocator_defaults(const vdi_allocator *a) {
    vdi_allocator r;
    if (a && a->alloc_fn && a->free_fn) return *a;
    r.alloc_fn = vdi__default_alloc;
    r.free_fn = vdi__default_free;
    r.user = NULL;
    return r;
}

VDI__DEF void *vdi_alloc(const vdi_allocator *a, size_t size) {
    vdi_allocator r = vdi_allocator_defaults(a);
    if (size > SIZE_MAX / 2) return NULL; /* no object is that large: the size overflowed */
    return r.alloc_fn(size ? size : 1, VDI_ALIGN, r.user);
}

VDI__DEF void vdi_free(const vdi_allocator *a, void *p, size_t size) {
    vdi_allocator r = vdi_allocator_defaults(a);
    if (p) r.free_fn(p, size ? size : 1, VDI_ALIGN, r.user);
}

typedef struct vdi__chunk {
    struct vdi__chunk *next;
    size_t size, used; /* of the data that follow, in bytes */
} vdi__chunk;

VDI__FN vdi__chunk *vdi__arena_grow(vdi_arena *arena, size_t size) {
    size_t data = VDI__MAX(arena->chunk_size, size);
    vdi__chunk *c =
        (vdi__chunk *)vdi_alloc(&arena->allocator, vdi_add_size(data, VDI__CHUNK_HEADER));
    if (!c) return NULL;
    c->size = data;
    c->used = 0;
    c->next = arena->current ? arena->current->next : arena->first;
    if (arena->current)
        arena->current->next = c;
    else
        arena->first = c;
    if (arena->chunk_size < (size_t)1 << 26) arena->chunk_size *= 2;
    return c;
}

VDI__DEF void vdi_arena_init(vdi_arena *arena, const vdi_allocator *a, size_t chunk_size) {
    memset(arena, 0, sizeof *arena);
    arena->allocator = vdi_allocator_defaults(a);
    arena->chunk_size = chunk_size ? vdi_align_size(chunk_size) : (size_t)1 << 16;
}

VDI__DEF void vdi_arena_init_block(vdi_arena *arena, void *block, size_t size) {
    memset(arena, 0, sizeof *arena);
    arena->fixed = true;
    uintptr_t at = (uintptr_t)block, up = (at + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1);
    if (!block || size < (up - at) + VDI__CHUNK_HEADER) return;
    vdi__chunk *c = (vdi__chunk *)(void *)((char *)block + (up - at));
    c->next = NULL;
    c->size = size - (size_t)(up - at) - VDI__CHUNK_HEADER;
    c->used = 0;
    arena->first = arena->current = c;
}

VDI__DEF void *vdi_arena_alloc(vdi_arena *arena, size_t size) {
    size_t n = vdi_align_size(size ? size : 1);
    /* no object is that large, and the sum of two such would wrap */
    if (n > SIZE_MAX / 2) return NULL;
    vdi__chunk *c = arena->current ? arena->current : arena->first;
    while (c && c->size - c->used < n) { /* chunks behind the current one are empty */
        if (!c->next) break;
        arena->current = c;
        c = c->next;
    }
    if (!c || c->size - c->used < n) {
        if (arena->fixed) return NULL;
        if (c) arena->current = c;
        c = vdi__arena_grow(arena, n);
        if (!c) return NULL;
    }
    arena->current = c;
    void *p = (char *)c + VDI__CHUNK_HEADER + c->used;
    c->used += n;
    arena->used += n;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return p;
}

VDI__DEF void *vdi_arena_calloc(vdi_arena *arena, size_t size) {
    void *p = size <= SIZE_MAX / 2 ? vdi_arena_alloc(arena, size) : NULL;
    if (p) memset(p, 0, size);
    return p;
}

VDI__DEF vdi_arena_mark vdi_arena_get_mark(const vdi_arena *arena) {
    vdi_arena_mark m;
    m.chunk = arena->current;
    m.chunk_used = arena->current ? arena->current->used : 0;
    m.used = arena->used;
    return m;
}

VDI__DEF void vdi_arena_rewind(vdi_arena *arena, vdi_arena_mark mark) {
    vdi__chunk *c = mark.chunk ? mark.chunk->next : arena->first;
    for (; c; c = c->next)
        c->used = 0;
    if (mark.chunk) mark.chunk->used = mark.chunk_used;
    arena->current = mark.chunk;
    arena->used = mark.used;
}

VDI__DEF void vdi_arena_reset(vdi_arena *arena) {
    vdi_arena_mark start = VDI__ZERO;
    vdi_arena_rewind(arena, start);
}

VDI__DEF void vdi_arena_free(vdi_arena *arena) {
    vdi__chunk *c = arena->fixed ? NULL : arena->first;
    while (c) {
        vdi__chunk *next = c->next;
        vdi_free(&arena->allocator, c, c->size + VDI__CHUNK_HEADER);
        c = next;
    }
    arena->first = arena->current = NULL;
    arena->used = 0;
}
#endif
