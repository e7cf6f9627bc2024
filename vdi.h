/* vdi.h - value decomposition and variational inference: tensors, SIMD kernels, block-tridiagonal solvers, a reverse-mode
 * tape and model families, in one header without dependencies
 *
 * Do this, in exactly one C or C++ file:
 *     #define VDI_IMPLEMENTATION
 *     #include "vdi.h"
 * and plain includes elsewhere; link with -lm (and -pthread on older systems).
 *
 * Ten lines:
 *     double D[2] = {2, 2}, E[1] = {-1}, h[2] = {1, 0}, x[2];           J = [2 -1; -1 2], two blocks of size one
 *     vdi_blocktri_desc desc = {0};
 *     desc.dtype = VDI_F64, desc.trials = 1, desc.T = 2, desc.d = 1;
 *     size_t size = vdi_blocktri_memsize(&desc);
 *     void *mem = malloc(size);
 *     vdi_blocktri bt;
 *     vdi_error err;
 *     if (vdi_blocktri_init(&bt, &desc, mem, size, &err) < 0 || vdi_blocktri_factor(&bt, D, E, &err) < 0) puts(err.message);
 *     else vdi_blocktri_solve(&bt, 1, h, x);                            x = {2/3, 1/3}
 *     free(mem);
 *
 * Options: the switches are listed, with their cost, in core/config.h (VDI_STATIC, VDI_NO_SIMD, VDI_NO_THREADS, ...).
 * Memory: descriptions may carry an allocator; solvers run in the caller's block; nothing is allocated after create or init.
 * Errors: every call that can fail returns a vdi_status and may fill a vdi_error; vdi never aborts, exits or prints.
 * Threads: distinct objects may be used from distinct threads; no object is locked; the only global is the choice of the SIMD path.
 * vdi does NOT: use a GPU, link BLAS, read the locale or the environment, install signal handlers, or accept -ffast-math.
 *
 * License: MIT, see LICENSE.
 */
/* This file is generated from include/vdi by `make vdi.h`: edit there. */
#define VDI__SINGLE_FILE 1
#ifndef VDI__PASS

/* ======== core/config.h ======== */
/* core/config.h - compiler, platform, switches
 *
 * The first header of all: it knows which implementation parts are wanted, what the compiler can do and
 * which switches the user has set. It declares no function.
 *
 * Switches (define before every include of vdi, or not at all; no struct layout depends on one):
 *   VDI_IMPLEMENTATION         compile everything here; in exactly one C or C++ file
 *   VDI_CORE_IMPLEMENTATION    only core; likewise VDI_KERNEL_, VDI_LINALG_, VDI_GRAD_, VDI_IO_, VDI_MODEL_, and one per
 *                              model (VDI_LDS_IMPLEMENTATION ...); each brings what it stands on. Cost: compile time only
 *   VDI_STATIC                 every function and table is static: several files may each have their own copy
 *   VDI_API                    what stands before a public declaration (default: extern "C" where needed, or static)
 *   VDI_ASSERT(x)              internal checks; default: nothing. An assertion that fails is a bug in vdi, never bad input
 *   VDI_NO_SIMD                scalar code alone: smallest object, 5 to 20 times slower
 *   VDI_NO_SSE2, VDI_NO_AVX2, VDI_NO_AVX512, VDI_NO_NEON   leave one path out: shorter compile, smaller object
 *   VDI_NO_THREADS             no pthreads or Win32 threads: a pool runs its jobs on the caller; same results
 *   VDI_NO_STDIO               no <stdio.h>: io then reads and writes through callbacks alone
 *   VDI_SELF                   the name by which the single file can include itself (default "vdi.h"; set it for a renamed copy)
 */
#ifndef VDI_CORE_CONFIG_H
#define VDI_CORE_CONFIG_H

#define VDI_VERSION_MAJOR 0
#define VDI_VERSION_MINOR 1
#define VDI_VERSION_PATCH 0
#define VDI_VERSION "0.1.0"

#ifdef __FAST_MATH__
#error "vdi: -ffast-math breaks NaN handling and the promised bits; compile vdi without it (-O2 or -O3 is enough)"
#endif

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define VDI__GNU 1
#else
#define VDI__GNU 0
#endif

#if VDI__GNU
#define VDI__UNUSED __attribute__((unused))
#define VDI_NODISCARD __attribute__((warn_unused_result))
#define VDI__PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define VDI__LIKELY(x) __builtin_expect(!!(x), 1)
#define VDI__UNLIKELY(x) __builtin_expect(!!(x), 0)
#define VDI__ALWAYS_INLINE __attribute__((always_inline))
#define VDI__NOINLINE __attribute__((noinline))
#else
#define VDI__UNUSED
#define VDI_NODISCARD
#define VDI__PRINTF(fmt, args)
#define VDI__LIKELY(x) (x)
#define VDI__UNLIKELY(x) (x)
#define VDI__ALWAYS_INLINE
#define VDI__NOINLINE
#endif

#ifdef __cplusplus
#define VDI__ZERO {}
#define VDI_RESTRICT __restrict
#else
#define VDI__ZERO {0}
#if defined(__TINYC__)
#define VDI_RESTRICT
#else
#define VDI_RESTRICT restrict
#endif
#endif

/* extern "C" stands on each declaration, so that VDI_STATIC needs no bracket around the whole header. */
#ifndef VDI_API
#if defined(VDI_STATIC)
#define VDI_API VDI__UNUSED static
#elif defined(__cplusplus)
#define VDI_API extern "C"
#else
#define VDI_API extern
#endif
#endif
#if defined(VDI_STATIC)
#define VDI__DEF VDI__UNUSED static
#elif defined(__cplusplus)
#define VDI__DEF extern "C"
#else
#define VDI__DEF
#endif
/* A function that only the implementation sees. */
#define VDI__FN VDI__UNUSED static
/* A small function in the declarations: static in every file. */
#define VDI__INLINE VDI__UNUSED static inline

#ifndef VDI_ASSERT
#define VDI_ASSERT(x) ((void)0)
#endif

#define VDI__MIN(a, b) ((a) < (b) ? (a) : (b))
#define VDI__MAX(a, b) ((a) > (b) ? (a) : (b))
#define VDI__COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define VDI_PI 3.14159265358979323846
#define VDI_LOG_2PI 1.83787706640934548356

#endif /* VDI_CORE_CONFIG_H */

/* Which parts to compile: outside the guard, since an implementation may be asked for by a later include. */
#if defined(VDI_IMPLEMENTATION)
#ifndef VDI_IO_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#endif
#ifndef VDI_MODEL_IMPLEMENTATION
#define VDI_MODEL_IMPLEMENTATION
#endif
#endif
#if defined(VDI_MODEL_IMPLEMENTATION)
#ifndef VDI_GRAD_IMPLEMENTATION
#define VDI_GRAD_IMPLEMENTATION
#endif
#ifndef VDI_LDS_IMPLEMENTATION
#define VDI_LDS_IMPLEMENTATION
#endif
#endif
#if (defined(VDI_GRAD_IMPLEMENTATION) || defined(VDI_LDS_IMPLEMENTATION)) && !defined(VDI_LINALG_IMPLEMENTATION)
#define VDI_LINALG_IMPLEMENTATION
#endif
#if defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_KERNEL_IMPLEMENTATION)
#define VDI_KERNEL_IMPLEMENTATION
#endif
#if (defined(VDI_KERNEL_IMPLEMENTATION) || defined(VDI_IO_IMPLEMENTATION)) && !defined(VDI_CORE_IMPLEMENTATION)
#define VDI_CORE_IMPLEMENTATION
#endif

/* ======== core/text.h ======== */
/* core/text.h - numbers and sentences as text, without stdio and without the locale
 *
 * Do this:
 *     char b[64];
 *     vdi_text_format(b, sizeof b, "W is (%d,%d)", 64, 3);
 *
 * Files and messages must read the same wherever the host program has set its locale, and the core may not need
 * <stdio.h>; so the few formats that vdi uses are written here.
 */
#ifndef VDI_CORE_TEXT_H
#define VDI_CORE_TEXT_H

/** printf into `buf` of `cap` bytes, always terminated; returns the length written (cut at cap - 1).
 *  Knows %s %c %d %u %ld %lu %lld %llu %zu %x %g %%; no flags, no width; %.Ng takes N significant digits. */
VDI_API size_t vdi_text_format(char *buf, size_t cap, const char *format, ...) VDI__PRINTF(3, 4);
/** As vdi_text_format, with an argument list. */
VDI_API size_t vdi_text_vformat(char *buf, size_t cap, const char *format, va_list args);
/** Copy a string, cut to fit and terminated; returns the length written. */
VDI_API size_t vdi_text_copy(char *buf, size_t cap, const char *s);

/** Room that any number needs. */
#define VDI_TEXT_NUMBER 40
/** Write `x` with `digits` significant digits (1 to 17), correctly rounded; 0 gives the shortest text that reads back
 *  to the same double. NaN is "nan", infinities "inf" and "-inf". Returns the length. `buf` holds VDI_TEXT_NUMBER bytes. */
VDI_API size_t vdi_text_double(char *buf, double x, int digits);
/** Read a decimal number at s[0..n), correctly rounded; returns how many bytes it took, 0 if there is no number.
 *  Takes an optional sign, digits, point, exponent, and nan, inf, infinity in any case. */
VDI_API size_t vdi_text_parse_double(const char *s, size_t n, double *out);
/** Read a decimal integer at s[0..n); returns the bytes taken, 0 if there is none or it does not fit. */
VDI_API size_t vdi_text_parse_int(const char *s, size_t n, int64_t *out);

#endif /* VDI_CORE_TEXT_H */


/* ======== core/status.h ======== */
/* core/status.h - how vdi says that something went wrong
 *
 * Do this:
 *     vdi_error err;
 *     if (vdi_something(..., &err) < 0) puts(err.message);     (err may also be NULL)
 *
 * A status of 0 is success, negative an error, positive a normal end that the caller may want to know of.
 * vdi never aborts, exits or prints. After an error every object is as it was before the call, unless its
 * function says otherwise. There is no global error state; distinct vdi_error objects belong to distinct threads.
 */
#ifndef VDI_CORE_STATUS_H
#define VDI_CORE_STATUS_H

/** Outcome of a call: 0 ok, negative error, positive notable but normal. */
typedef enum vdi_status {
    VDI_OK = 0,
    VDI_ERR_ARGUMENT = -1,              /**< an argument is out of its range, or NULL where it may not be */
    VDI_ERR_SHAPE = -2,                 /**< shapes do not fit together */
    VDI_ERR_DTYPE = -3,                 /**< a tensor has another dtype than the call takes */
    VDI_ERR_MEMORY = -4,                /**< an allocation failed, or a caller's block is too small */
    VDI_ERR_DATA = -5,                  /**< data hold NaN or infinity, or are too few */
    VDI_ERR_NOT_POSITIVE_DEFINITE = -6, /**< a matrix that has to be positive definite is not */
    VDI_ERR_IO = -7,                    /**< a read, write, open or rename failed */
    VDI_ERR_FORMAT = -8,                /**< a file is not what it says, or is truncated */
    VDI_ERR_STATE = -9,                 /**< the call does not fit the object's state */
    VDI_ERR_UNSUPPORTED = -10,          /**< legal, but not supported here */
    VDI_ERR_NUMERIC = -11,              /**< a computation left the finite numbers */
    VDI_NOT_CONVERGED = 1,              /**< the iteration limit was reached first */
    VDI_END = 2,                        /**< no more data */
    VDI_STOPPED = 3                     /**< stopped on the caller's request */
} vdi_status;

/** Detail of an error: what was expected and what came. Pass NULL where it is not wanted. */
typedef struct vdi_error {
    vdi_status status;
    char message[232]; /**< one sentence, no newline */
    char where[56];    /**< the function that found it */
} vdi_error;

/** The name of a status, such as "not positive definite". Never NULL. */
VDI_API const char *vdi_status_name(vdi_status status);

/** Fill `err` (may be NULL) and return `status`, so that a function can end with `return vdi_error_set(...)`.
 *  Formats: %s %c %d %u %ld %lld %zu %x %g %% (no width; %g gives six significant digits). */
VDI_API vdi_status vdi_error_set(vdi_error *err, vdi_status status, const char *where, const char *format, ...) VDI__PRINTF(4, 5);

#endif /* VDI_CORE_STATUS_H */


/* ======== core/alloc.h ======== */
/* core/alloc.h - the allocator that a user may replace, and arenas on top of it
 *
 * Do this:
 *     vdi_arena a;
 *     vdi_arena_init(&a, NULL, 0);                     NULL: malloc and free
 *     double *x = (double *)vdi_arena_alloc(&a, 100 * sizeof *x);      NULL when memory is out
 *     vdi_arena_reset(&a);                             keeps the memory for the next round
 *     vdi_arena_free(&a);
 *
 * An arena hands out blocks aligned to 64 bytes and takes them back all at once. It is not thread-safe: one per thread.
 * After a reset the same sequence of requests makes no call to the allocator.
 */
#ifndef VDI_CORE_ALLOC_H
#define VDI_CORE_ALLOC_H

#define VDI_ALIGN 64

/** Where memory comes from. Members are called alloc_fn and free_fn because `free` may be a macro. */
typedef struct vdi_allocator {
    void *(*alloc_fn)(size_t size, size_t align, void *user); /**< NULL on failure; `align` is a power of two */
    void (*free_fn)(void *p, size_t size, size_t align, void *user);
    void *user;
} vdi_allocator;

/** The filled allocator: `a`, or malloc and free where `a` is NULL or all zero. */
VDI_API vdi_allocator vdi_allocator_defaults(const vdi_allocator *a);
/** `size` bytes aligned to VDI_ALIGN, not cleared; NULL on failure. Size 0 gives a block that may be freed. */
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

/** A place in an arena to go back to. */
typedef struct vdi_arena_mark {
    struct vdi__chunk *chunk;
    size_t chunk_used, used;
} vdi_arena_mark;

/** Start an arena; `chunk_size` 0 gives 64 KiB (chunks double as it grows). Allocates nothing yet. */
VDI_API void vdi_arena_init(vdi_arena *arena, const vdi_allocator *a, size_t chunk_size);
/** Start an arena inside the caller's block; it never allocates, and fails when the block is full. */
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

/** Bytes that `size` takes in an arena or a caller's block: rounded up to VDI_ALIGN. SIZE_MAX on overflow. */
VDI__INLINE size_t vdi_align_size(size_t size) {
    return size > SIZE_MAX - (VDI_ALIGN - 1) ? SIZE_MAX : (size + (VDI_ALIGN - 1)) & ~(size_t)(VDI_ALIGN - 1);
}
/** a * b, or SIZE_MAX where it overflows. */
VDI__INLINE size_t vdi_mul_size(size_t a, size_t b) { return a && b > SIZE_MAX / a ? SIZE_MAX : a * b; }
/** a + b, or SIZE_MAX where it overflows. */
VDI__INLINE size_t vdi_add_size(size_t a, size_t b) { return b > SIZE_MAX - a ? SIZE_MAX : a + b; }

#endif /* VDI_CORE_ALLOC_H */


/* ======== core/log.h ======== */
/* core/log.h - what vdi would say if asked: silent unless a logger is given
 *
 * Do this:
 *     void say(const vdi_log_record *r, void *user) { fprintf(stderr, "%s: %s\n", r->where, r->message); }
 *     vdi_logger logger = { say, NULL };
 *     vdi_lds_desc desc = {0}; desc.logger = logger;
 *
 * A logger is a member of a description, never a global. It is called on the thread that runs the function.
 */
#ifndef VDI_CORE_LOG_H
#define VDI_CORE_LOG_H

typedef enum vdi_log_level { VDI_LOG_DEBUG = 0, VDI_LOG_INFO = 1, VDI_LOG_WARNING = 2 } vdi_log_level;

/** One message; the strings live for the duration of the call. */
typedef struct vdi_log_record {
    vdi_log_level level;
    const char *where; /**< the function that speaks */
    const char *message;
} vdi_log_record;

/** A NULL `log_fn` is silence. */
typedef struct vdi_logger {
    void (*log_fn)(const vdi_log_record *record, void *user);
    void *user;
} vdi_logger;

/** Format and hand on one message; formats as in vdi_text_format. */
VDI_API void vdi_log_message(const vdi_logger *logger, vdi_log_level level, const char *where, const char *format, ...) VDI__PRINTF(4, 5);

#endif /* VDI_CORE_LOG_H */


/* ======== core/tensor.h ======== */
/* core/tensor.h - n-dimensional views of memory: dtype, shape, strides, NumPy's broadcast rules
 *
 * Do this:
 *     double x[6] = {1, 2, 3, 4, 5, 6};
 *     int64_t shape[2] = {2, 3};
 *     vdi_tensor t = vdi_tensor_view(x, VDI_F64, 2, shape);          (2,3), row-major
 *     vdi_tensor column = vdi_tensor_slice(t, 1, 0, 1, 1);           (2,1), no copy
 *
 * A vdi_tensor is a small struct passed by value: a pointer and how to walk it. It owns nothing. Memory comes from
 * vdi_tensor_alloc (paired with vdi_tensor_free), from an arena, or from the caller. Strides count elements, may be
 * zero (broadcast) or negative. A view of an impossible request is the null tensor (data NULL, ndim -1): test it with
 * vdi_tensor_ok.
 */
#ifndef VDI_CORE_TENSOR_H
#define VDI_CORE_TENSOR_H

/** Element types. Arithmetic is on F32 and F64; the integers are for counts, lengths and indices. */
typedef enum vdi_dtype {
    VDI_F32 = 0,
    VDI_F64 = 1,
    VDI_U8 = 2,
    VDI_I16 = 3,
    VDI_I32 = 4,
    VDI_I64 = 5,
    VDI_BOOL = 6
} vdi_dtype;
#define VDI_DTYPE_COUNT 7

/** Most dimensions of a tensor. */
#define VDI_MAX_DIMS 6

/** A view of n-dimensional data. `shape` and `stride` are meaningful up to `ndim`; strides count elements. */
typedef struct vdi_tensor {
    void *data;
    vdi_dtype dtype;
    int32_t ndim; /**< 0 is a scalar, -1 the null tensor */
    int64_t shape[VDI_MAX_DIMS];
    int64_t stride[VDI_MAX_DIMS];
} vdi_tensor;

/** A tensor with a name: how a model hands out its state. The name is not owned. */
typedef struct vdi_named_tensor {
    const char *name;
    vdi_tensor tensor;
} vdi_named_tensor;

/** Key and value of metadata, not owned. */
typedef struct vdi_meta {
    const char *key, *value;
} vdi_meta;

/** The state of a model as any file format can write it: named tensors and metadata, both owned by the model. */
typedef struct vdi_state {
    vdi_named_tensor *tensors;
    int64_t tensor_count;
    vdi_meta *meta;
    int64_t meta_count;
} vdi_state;

/** Bytes of one element. */
VDI_API size_t vdi_dtype_size(vdi_dtype dtype);
/** "float32", "float64", "uint8", "int16", "int32", "int64", "bool". */
VDI_API const char *vdi_dtype_name(vdi_dtype dtype);
VDI__INLINE bool vdi_dtype_is_real(vdi_dtype dtype) { return dtype == VDI_F32 || dtype == VDI_F64; }

/** Row-major view of `data` (may be NULL for a shape alone). */
VDI_API vdi_tensor vdi_tensor_view(void *data, vdi_dtype dtype, int ndim, const int64_t *shape);
/** Shorthands for the common shapes. */
VDI_API vdi_tensor vdi_tensor_1d(void *data, vdi_dtype dtype, int64_t n0);
VDI_API vdi_tensor vdi_tensor_2d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1);
VDI_API vdi_tensor vdi_tensor_3d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1, int64_t n2);
VDI_API vdi_tensor vdi_tensor_4d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1, int64_t n2, int64_t n3);
VDI__INLINE bool vdi_tensor_ok(vdi_tensor t) { return t.ndim >= 0; }
/** Number of elements (1 for a scalar, 0 for the null tensor). */
VDI_API int64_t vdi_tensor_count(vdi_tensor t);
/** Bytes of its elements, packed. */
VDI_API size_t vdi_tensor_bytes(vdi_tensor t);
/** Is it row-major without gaps? */
VDI_API bool vdi_tensor_is_contiguous(vdi_tensor t);
VDI_API bool vdi_tensor_same_shape(vdi_tensor a, vdi_tensor b);
/** Write "(64,3)" into buf of at least VDI_SHAPE_TEXT bytes; returns buf. */
#define VDI_SHAPE_TEXT 136
VDI_API const char *vdi_tensor_shape_text(vdi_tensor t, char *buf);

/** Own memory: row-major, cleared. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_alloc(const vdi_allocator *a, vdi_dtype dtype, int ndim, const int64_t *shape, vdi_tensor *out,
                                                  vdi_error *err);
/** Give back what vdi_tensor_alloc gave (same shape and dtype), and make it the null tensor. */
VDI_API void vdi_tensor_free(const vdi_allocator *a, vdi_tensor *t);
/** Row-major, cleared, in an arena; the null tensor when memory is out. */
VDI_API vdi_tensor vdi_arena_tensor(vdi_arena *arena, vdi_dtype dtype, int ndim, const int64_t *shape);

/** Elements start, start+step, ... of one axis, `count` of them; the null tensor if out of range. */
VDI_API vdi_tensor vdi_tensor_slice(vdi_tensor t, int axis, int64_t start, int64_t step, int64_t count);
/** One index of an axis; the axis disappears. */
VDI_API vdi_tensor vdi_tensor_index(vdi_tensor t, int axis, int64_t i);
/** Axes in another order; `order` is a permutation of 0..ndim-1. */
VDI_API vdi_tensor vdi_tensor_permute(vdi_tensor t, const int *order);
/** The last two axes exchanged. */
VDI_API vdi_tensor vdi_tensor_transpose(vdi_tensor t);
/** Another shape of a contiguous tensor with as many elements (one extent may be -1); the null tensor if it can't be. */
VDI_API vdi_tensor vdi_tensor_reshape(vdi_tensor t, int ndim, const int64_t *shape);
/** Repeat along axes of extent 1 and new leading axes, without copying; the null tensor if the shapes do not fit. */
VDI_API vdi_tensor vdi_tensor_broadcast_to(vdi_tensor t, int ndim, const int64_t *shape);
/** The common shape of a and b under NumPy's rules; returns its ndim, or -1 if they do not fit. */
VDI_API int vdi_broadcast_shape(vdi_tensor a, vdi_tensor b, int64_t shape[VDI_MAX_DIMS]);

/** Copy with cast, any strides, broadcasting src; dst has to be writable without overlap of its own elements.
 *  Real to integer rounds to nearest, ties to even, and saturates; NaN becomes 0. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_copy(vdi_tensor dst, vdi_tensor src, vdi_error *err);
/** Every element = value. */
VDI_API void vdi_tensor_fill(vdi_tensor t, double value);
/** One element as double, by indices of ndim entries; no range check beyond VDI_ASSERT. */
VDI_API double vdi_tensor_get(vdi_tensor t, const int64_t *index);
VDI_API void vdi_tensor_set(vdi_tensor t, const int64_t *index, double value);
/** Element i of packed memory as double. */
VDI_API double vdi_dtype_load(vdi_dtype dtype, const void *p, int64_t i);
VDI_API void vdi_dtype_store(vdi_dtype dtype, void *p, int64_t i, double value);
/** Count of NaN and infinite elements. */
VDI_API int64_t vdi_tensor_count_nonfinite(vdi_tensor t);

#endif /* VDI_CORE_TENSOR_H */


/* ======== core/rng.h ======== */
/* core/rng.h - counter-based random numbers: equal seed, equal numbers, on every platform and for any thread count
 *
 * Do this:
 *     vdi_rng rng = vdi_rng_make(42, 0);               seed 42, stream 0
 *     double u = vdi_rng_uniform(&rng);                [0,1)
 *     vdi_rng trial7 = vdi_rng_make(42, 7);            another stream: trial 7 alone can be run again
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): the numbers are a function of (seed, stream, position), so there is no
 * state to warm up and any position can be jumped to. Integers, uniforms and permutations are the same bits on every
 * platform; normals and what is built on them are the same within one build.
 * A vdi_rng is 64 bytes to be copied freely; it is not locked: one per thread.
 */
#ifndef VDI_CORE_RNG_H
#define VDI_CORE_RNG_H

/** A stream of random numbers. Treat the members as private; copy it to remember a position. */
typedef struct vdi_rng {
    uint64_t seed, stream, block; /* the next block of four words */
    uint32_t word[4];
    uint32_t used; /* words of the current block already handed out; 4 = none left */
    uint32_t reserved;
} vdi_rng;

/** Stream `stream` of seed `seed`, at its beginning. */
VDI_API vdi_rng vdi_rng_make(uint64_t seed, uint64_t stream);
/** Go to the start of 4-word block `block` of the stream. */
VDI_API void vdi_rng_seek(vdi_rng *rng, uint64_t block);
/** Philox4x32-10 itself, for tests and for those who keep their own counters. */
VDI_API void vdi_rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

VDI_API uint32_t vdi_rng_u32(vdi_rng *rng);
VDI_API uint64_t vdi_rng_u64(vdi_rng *rng);
/** Uniform on 0..n-1 without bias; n = 0 gives 0. */
VDI_API uint64_t vdi_rng_below(vdi_rng *rng, uint64_t n);
/** Uniform on [0,1), 53 bits. */
VDI_API double vdi_rng_uniform(vdi_rng *rng);
/** Standard normal. */
VDI_API double vdi_rng_normal(vdi_rng *rng);
/** Exponential with mean 1. */
VDI_API double vdi_rng_exponential(vdi_rng *rng);
/** Gamma with the given shape > 0 and scale 1 (Marsaglia and Tsang 2000). NaN for a bad shape. */
VDI_API double vdi_rng_gamma(vdi_rng *rng, double shape);
/** Poisson with mean >= 0 (inversion for small means, Hoermann's PTRS 1993 for large). -1 for a bad mean. */
VDI_API int64_t vdi_rng_poisson(vdi_rng *rng, double mean);
/** true with probability p. */
VDI_API bool vdi_rng_bernoulli(vdi_rng *rng, double p);
/** Successes in n trials of probability p (inversion for small n p, Hoermann's BTRS 1993 for large). -1 for bad arguments. */
VDI_API int64_t vdi_rng_binomial(vdi_rng *rng, int64_t n, double p);
/** A random permutation of 0..n-1 into out (Fisher-Yates). */
VDI_API void vdi_rng_permutation(vdi_rng *rng, int64_t n, int64_t *out);
/** n uniforms on [0,1) or n standard normals, in F32 or F64; the F32 ones are the F64 ones rounded (uniforms toward 0). */
VDI_API void vdi_rng_fill_uniform(vdi_rng *rng, vdi_dtype dtype, int64_t n, void *out);
VDI_API void vdi_rng_fill_normal(vdi_rng *rng, vdi_dtype dtype, int64_t n, void *out);

#endif /* VDI_CORE_RNG_H */

/* ======== core/pool.h ======== */
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

/* ======== kernel/cpu.h ======== */
/* kernel/cpu.h - which instruction set the kernels use
 *
 * Do this (or nothing: the best path is found by itself at the first kernel call):
 *     puts(vdi_simd_name(vdi_simd_active()));          "avx512"
 *     vdi_simd_set(VDI_SIMD_AVX2);                     never above this from here on (for tests and comparisons)
 *
 * Every kernel is compiled once per instruction set (a "path") and per real type; one index, set once with the compiler's
 * atomic builtins, says which is in use. It is the only mutable global of vdi. Changing it while other threads compute is
 * safe, but their results then come from either path.
 */
#ifndef VDI_KERNEL_CPU_H
#define VDI_KERNEL_CPU_H

/** Instruction sets, and AUTO: the best that this processor and this build offer. */
typedef enum vdi_simd {
    VDI_SIMD_AUTO = 0,
    VDI_SIMD_SCALAR = 1,
    VDI_SIMD_SSE2 = 2,
    VDI_SIMD_AVX2 = 3, /**< with FMA */
    VDI_SIMD_AVX512 = 4, /**< F, DQ, BW, VL */
    VDI_SIMD_NEON = 5 /**< aarch64 */
} vdi_simd;
#define VDI_SIMD_COUNT 6

/** "auto", "scalar", "sse2", "avx2", "avx512", "neon". */
VDI_API const char *vdi_simd_name(vdi_simd simd);
/** Can this build on this processor run that path? */
VDI_API bool vdi_simd_available(vdi_simd simd);
/** The path in use. */
VDI_API vdi_simd vdi_simd_active(void);
/** Use this path from now on; VDI_SIMD_AUTO goes back to the best. VDI_ERR_UNSUPPORTED if it is not available. */
VDI_API vdi_status vdi_simd_set(vdi_simd simd);

/* Which paths this build contains. The values of VDI__ISA are those of vdi_simd. */
#if !defined(VDI_NO_SIMD) && VDI__GNU && !defined(__TINYC__)
#if defined(__x86_64__) || defined(__i386__)
#ifndef VDI_NO_SSE2
#define VDI__HAVE_SSE2 1
#endif
#ifndef VDI_NO_AVX2
#define VDI__HAVE_AVX2 1
#endif
#ifndef VDI_NO_AVX512
#define VDI__HAVE_AVX512 1
#endif
#elif defined(__aarch64__) && !defined(VDI_NO_NEON)
#define VDI__HAVE_NEON 1
#endif
#endif
#ifndef VDI__HAVE_SSE2
#define VDI__HAVE_SSE2 0
#endif
#ifndef VDI__HAVE_AVX2
#define VDI__HAVE_AVX2 0
#endif
#ifndef VDI__HAVE_AVX512
#define VDI__HAVE_AVX512 0
#endif
#ifndef VDI__HAVE_NEON
#define VDI__HAVE_NEON 0
#endif

#endif /* VDI_KERNEL_CPU_H */


/* ======== kernel/simd_support.h ======== */
/* kernel/simd_support.h - the few vector words that are functions, not single instructions; once, before the passes */
#ifndef VDI_KERNEL_SIMD_SUPPORT_H
#define VDI_KERNEL_SIMD_SUPPORT_H
#endif


/* ======== kernel/gemm.h ======== */
/* kernel/gemm.h - matrix products, with bias and activation in the same pass
 *
 * Do this:
 *     vdi_gemm(VDI_F32, 0, m, n, k, A, k, B, n, C, n);                              C = A B, row-major
 *     vdi_gemm(VDI_F32, VDI_GEMM_TB | VDI_GEMM_ACC, m, n, k, A, k, B, k, C, n);     C += A B'
 *     vdi_affine(VDI_F32, rows, out, in, x, in, W, out, bias, VDI_ACT_TANH, 0, y, out);
 *
 * Every element of C is one chain of fused multiply-adds over k in rising order, begun at 0 (at C with VDI_GEMM_ACC, at the
 * bias in vdi_affine). So it does not depend on m, n, how the work is cut, or the thread count; AVX2, AVX-512 and NEON give the same bits.
 * A leading dimension may be smaller than the row is long: rows may overlap in A, which is how conv1d is a gemm.
 * C may not overlap A or B. No memory is allocated; at most 64 KiB of stack is used.
 */
#ifndef VDI_KERNEL_GEMM_H
#define VDI_KERNEL_GEMM_H

/** Flags of vdi_gemm. */
enum {
    VDI_GEMM_TA = 1, /**< A is stored (k,m) */
    VDI_GEMM_TB = 2, /**< B is stored (n,k) */
    VDI_GEMM_ACC = 4 /**< add to C instead of overwriting it */
};

/** Activations that can be fused to a product. */
typedef enum vdi_act {
    VDI_ACT_NONE = 0,
    VDI_ACT_RELU,
    VDI_ACT_LEAKY_RELU, /**< slope: see the call's act_param (0 means 0.2 there) */
    VDI_ACT_TANH,
    VDI_ACT_SIGMOID,
    VDI_ACT_SOFTPLUS,
    VDI_ACT_EXP
} vdi_act;

/* the request of one product; every pointer and stride in elements of the pass's real type */
typedef struct vdi__gemm_args {
    int flags;
    size_t m, n, k;
    const void *a, *b;
    size_t lda, ldb, ldc;
    void *c;
    const void *bias; /* (n) or NULL: what the chains begin at, unless VDI_GEMM_ACC */
    vdi_act act;
    double act_param;
} vdi__gemm_args;
#define VDI__KERNELS_GEMM(X) \
    X(gemm, void, (const vdi__gemm_args *g)) \
    X(gemv, void, (int flags, size_t m, size_t n, const void *a, size_t lda, const void *x, void *y)) \
    X(ger, void, (size_t m, size_t n, const void *x, const void *y, void *a, size_t lda))

/** C (m,n) = op(A) (m,k) op(B) (k,n) [+ C]. `flags`: VDI_GEMM_*. lda, ldb, ldc in elements. */
VDI_API void vdi_gemm(vdi_dtype dtype, int flags, size_t m, size_t n, size_t k, const void *a, size_t lda, const void *b, size_t ldb, void *c,
                      size_t ldc);
/** y (m,n) = act(bias + x (m,k) W (k,n)): a layer; `bias` (n) or NULL. */
VDI_API void vdi_affine(vdi_dtype dtype, size_t m, size_t n, size_t k, const void *x, size_t ldx, const void *w, size_t ldw, const void *bias,
                        vdi_act act, double act_param, void *y, size_t ldy);
/** y = op(A) x [+ y]; A is stored (m,n). Without VDI_GEMM_TA x has n entries and y has m; with it the other way round. */
VDI_API void vdi_gemv(vdi_dtype dtype, int flags, size_t m, size_t n, const void *a, size_t lda, const void *x, void *y);
/** A (m,n) += x y'. */
VDI_API void vdi_ger(vdi_dtype dtype, size_t m, size_t n, const void *x, const void *y, void *a, size_t lda);
/** dz = dy * act'(.), from the activation's output y: n elements, dz may be dy. */
VDI_API void vdi_act_grad(vdi_dtype dtype, vdi_act act, double act_param, size_t n, const void *y, const void *dy, void *dz);

#endif /* VDI_KERNEL_GEMM_H */

/* ======== kernel/conv.h ======== */
/* kernel/conv.h - one-dimensional convolution over time, channels last
 *
 * Do this:
 *     vdi_conv1d(VDI_F32, batch, T, cin, cout, width, pad_left, x, w, bias, VDI_ACT_LEAKY_RELU, 0.2, y);
 *
 * x (B,T,cin), w (width,cin,cout), y (B,T,cout), all packed:
 *     y[b,t,o] = act(bias[o] + sum_{j,i} x[b, t - pad_left + j, i] w[j,i,o]),   x = 0 outside 0..T-1.
 * pad_left = (width-1)/2 is the usual "same" padding, width-1 a causal filter, 0 looks only ahead. Each output is one chain of
 * FMAs over (j,i) in rising order that leaves the padding out: a window fed frame by frame gives the same bits as the whole.
 * (It is a gemm whose rows overlap: row t of the left matrix begins at frame t - pad_left.)
 */
#ifndef VDI_KERNEL_CONV_H
#define VDI_KERNEL_CONV_H

/** Forward; bias (cout) or NULL. */
VDI_API void vdi_conv1d(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout, size_t width, size_t pad_left, const void *x,
                        const void *w, const void *bias, vdi_act act, double act_param, void *y);
/** dx (B,T,cin) += gradient with respect to x, from dz (B,T,cout), the gradient before the activation.
 *  `work`: vdi_conv1d_grad_work(...) elements for the flipped weights. */
VDI_API void vdi_conv1d_grad_input(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout, size_t width, size_t pad_left,
                                   const void *dz, const void *w, void *work, void *dx);
VDI_API size_t vdi_conv1d_grad_work(size_t cin, size_t cout, size_t width);
/** dw (width,cin,cout) += gradient with respect to w; dbias (cout) += that of the bias, or NULL. In rising order of (b,t). */
VDI_API void vdi_conv1d_grad_weight(vdi_dtype dtype, size_t batch, size_t t, size_t cin, size_t cout, size_t width, size_t pad_left,
                                    const void *dz, const void *x, void *dw, void *dbias);

#endif /* VDI_KERNEL_CONV_H */

/* ======== kernel/elementwise.h ======== */
/* kernel/elementwise.h - functions of one and two arguments over arrays
 *
 * Do this:
 *     float x[1000], y[1000];
 *     vdi_exp(VDI_F32, 1000, x, y);                                  y may be x
 *     vdi_binary(VDI_F32, VDI_MUL, 1000, x, 1, y, 1, y);             y = x * y
 *     vdi_tensor_binary(VDI_ADD, a, b, c, &err);                     any strides, NumPy's broadcasting
 *
 * `dtype` is VDI_F32 or VDI_F64. Arrays are contiguous and need no alignment. An output may be an input itself, but may not
 * overlap one in part. Every function takes NaN to NaN and infinities and signed zeros as IEEE 754 and C's Annex F say,
 * except where noted. Errors in ulp, for finite results that are not denormal, are listed in docs/kernels.md.
 */
#ifndef VDI_KERNEL_ELEMENTWISE_H
#define VDI_KERNEL_ELEMENTWISE_H

/** Functions of one argument. `p` is the parameter of those that have one. */
typedef enum vdi_unary_op {
    VDI_EXP = 0,
    VDI_LOG,
    VDI_LOG1P,
    VDI_EXPM1,
    VDI_TANH,
    VDI_SIGMOID,
    VDI_SOFTPLUS,   /**< log(1 + exp(x)) */
    VDI_RELU,
    VDI_LEAKY_RELU, /**< x > 0 ? x : p x */
    VDI_ELU,        /**< x > 0 ? x : p (exp(x) - 1) */
    VDI_SQRT,
    VDI_RSQRT,      /**< 1 / sqrt(x), two roundings */
    VDI_RECIPROCAL,
    VDI_ERF,
    VDI_LGAMMA,     /**< log |Gamma(x)| */
    VDI_DIGAMMA,
    VDI_ABS,
    VDI_NEG,
    VDI_SQUARE,
    VDI_SIN,
    VDI_COS,
    VDI_IDENTITY
} vdi_unary_op;
#define VDI_UNARY_COUNT 22

/** Functions of two arguments. */
typedef enum vdi_binary_op {
    VDI_ADD = 0,
    VDI_SUB,
    VDI_MUL,
    VDI_DIV,
    VDI_MAX, /**< NaN if either is NaN */
    VDI_MIN, /**< NaN if either is NaN */
    VDI_POW
} vdi_binary_op;
#define VDI_BINARY_COUNT 7

/* One kernel of each kind per op; the lists give the names by which `vdi info --kernels` and the tests know them. */
#define VDI__UNARY_LIST(X) \
    X(exp) X(log) X(log1p) X(expm1) X(tanh) X(sigmoid) X(softplus) X(relu) X(leaky_relu) X(elu) X(sqrt) X(rsqrt) X(reciprocal) \
    X(erf) X(lgamma) X(digamma) X(abs) X(neg) X(square) X(sin) X(cos) X(identity)
#define VDI__BINARY_LIST(X) X(add) X(sub) X(mul) X(div) X(max) X(min) X(pow)
typedef void vdi__unary_fn(size_t n, double p, const void *x, void *y);
/* dx += dy * f'(x), with y = f(x) given */
typedef void vdi__unary_grad_fn(size_t n, double p, const void *x, const void *y, const void *dy, void *dx);
/* steps are 0 (one value for all) or 1 */
typedef void vdi__binary_fn(size_t n, const void *a, int a_step, const void *b, int b_step, void *y);
#define VDI__KERNELS_ELEMENTWISE(X) \
    X(fill, void, (size_t n, double value, void *y)) \
    X(axpby, void, (size_t n, double alpha, const void *x, double beta, void *y)) \
    X(muladd, void, (size_t n, const void *a, int a_step, const void *b, int b_step, void *y)) \
    X(clip, void, (size_t n, double low, double high, const void *x, void *y))

/** The op's name, such as "softplus". */
VDI_API const char *vdi_unary_name(vdi_unary_op op);
VDI_API const char *vdi_binary_name(vdi_binary_op op);

/** y[i] = op(x[i]), i < n. */
VDI_API void vdi_unary(vdi_dtype dtype, vdi_unary_op op, double p, size_t n, const void *x, void *y);
/** dx[i] += dy[i] * op'(x[i]), where y = op(x). At a kink the derivative from the left. */
VDI_API void vdi_unary_grad(vdi_dtype dtype, vdi_unary_op op, double p, size_t n, const void *x, const void *y, const void *dy, void *dx);
/** y[i] = op(a[i * a_step], b[i * b_step]); a step is 0 or 1. */
VDI_API void vdi_binary(vdi_dtype dtype, vdi_binary_op op, size_t n, const void *a, int a_step, const void *b, int b_step, void *y);
/** y[i] = value. */
VDI_API void vdi_fill(vdi_dtype dtype, size_t n, double value, void *y);
/** y = alpha x + beta y; with beta = 0, y is not read. */
VDI_API void vdi_axpby(vdi_dtype dtype, size_t n, double alpha, const void *x, double beta, void *y);
/** y[i] += a[i * a_step] * b[i * b_step], fused; a step is 0 or 1. */
VDI_API void vdi_muladd(vdi_dtype dtype, size_t n, const void *a, int a_step, const void *b, int b_step, void *y);
/** y[i] = x[i] held between low and high; NaN stays. */
VDI_API void vdi_clip(vdi_dtype dtype, size_t n, double low, double high, const void *x, void *y);

VDI_API void vdi_exp(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_log(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_log1p(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_expm1(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_tanh(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_sigmoid(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_softplus(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_lgamma(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_digamma(vdi_dtype dtype, size_t n, const void *x, void *y);
VDI_API void vdi_erf(vdi_dtype dtype, size_t n, const void *x, void *y);

/** y = op(x) over tensors of one shape and dtype, any strides; y may be x. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_unary(vdi_unary_op op, double p, vdi_tensor x, vdi_tensor y, vdi_error *err);
/** y = op(a, b); a and b broadcast to the shape of y. */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_binary(vdi_binary_op op, vdi_tensor a, vdi_tensor b, vdi_tensor y, vdi_error *err);

#endif /* VDI_KERNEL_ELEMENTWISE_H */

/* ======== kernel/optim.h ======== */
/* kernel/optim.h - the inner loops of the optimisers
 *
 * Each updates n parameters w from their gradient g; m and v are the optimiser's memory. Plain loops over arrays: what learns
 * when, schedules and clipping are in grad/optim.h.
 */
#ifndef VDI_KERNEL_OPTIM_H
#define VDI_KERNEL_OPTIM_H

#define VDI__KERNELS_OPTIM(X) \
    X(adam, void, (size_t n, void *w, const void *g, void *m, void *v, double step, double beta1, double beta2, double eps, double decay, double gscale)) \
    X(rmsprop, void, (size_t n, void *w, const void *g, void *v, void *m, double step, double rho, double eps, double momentum, double decay, double gscale)) \
    X(sgd, void, (size_t n, void *w, const void *g, void *m, double step, double momentum, double decay, double gscale))

/** Adam (Kingma and Ba 2015) with decoupled decay (Loshchilov and Hutter 2019). With g' = gscale g:
 *  m = beta1 m + (1-beta1) g';  v = beta2 v + (1-beta2) g'^2;  w -= step m / (sqrt(v) + eps) + decay w.
 *  The caller puts the bias corrections into `step` and `eps`: step = lr sqrt(1-beta2^t)/(1-beta1^t), eps sqrt(1-beta2^t); decay = lr * weight decay. */
VDI_API void vdi_adam_kernel(vdi_dtype dtype, size_t n, void *w, const void *g, void *m, void *v, double step, double beta1, double beta2, double eps,
                             double decay, double gscale);
/** RMSprop (Tieleman and Hinton 2012): v = rho v + (1-rho) g'^2; m = momentum m + g' / (sqrt(v) + eps); w -= step m + decay w. m may be NULL if momentum is 0. */
VDI_API void vdi_rmsprop_kernel(vdi_dtype dtype, size_t n, void *w, const void *g, void *v, void *m, double step, double rho, double eps,
                                double momentum, double decay, double gscale);
/** SGD: m = momentum m + g'; w -= step m + decay w. m may be NULL if momentum is 0. */
VDI_API void vdi_sgd_kernel(vdi_dtype dtype, size_t n, void *w, const void *g, void *m, double step, double momentum, double decay, double gscale);

#endif /* VDI_KERNEL_OPTIM_H */

/* ======== kernel/reduce.h ======== */
/* kernel/reduce.h - sums, maxima, softmax, gather: many numbers to few, always in one order
 *
 * Do this:
 *     double s = vdi_sum(VDI_F32, n, x);
 *     vdi_softmax(VDI_F32, rows, cols, x, cols, y, cols);
 *
 * The order of every sum is fixed by its length: element i goes to partial sum i mod 16 (F32) or i mod 8 (F64), and the partial
 * sums are added pairwise. So every path and any number of threads gives the same bits. Sums of F32 are kept in F32.
 */
#ifndef VDI_KERNEL_REDUCE_H
#define VDI_KERNEL_REDUCE_H

#define VDI__KERNELS_REDUCE(X) \
    X(sum, double, (size_t n, const void *x)) \
    X(dot, double, (size_t n, const void *x, const void *y)) \
    X(largest, double, (size_t n, const void *x)) \
    X(smallest, double, (size_t n, const void *x)) \
    X(sum_rows, void, (size_t rows, size_t cols, const void *x, size_t ldx, int accumulate, void *y)) \
    X(logsumexp, void, (size_t rows, size_t cols, const void *x, size_t ldx, void *y)) \
    X(softmax, void, (size_t rows, size_t cols, const void *x, size_t ldx, void *y, size_t ldy)) \
    X(log_softmax, void, (size_t rows, size_t cols, const void *x, size_t ldx, void *y, size_t ldy)) \
    X(nonfinite, size_t, (size_t n, const void *x))

/** Sum of x[0..n); 0 for n = 0. */
VDI_API double vdi_sum(vdi_dtype dtype, size_t n, const void *x);
/** Inner product. */
VDI_API double vdi_dot(vdi_dtype dtype, size_t n, const void *x, const void *y);
/** Largest and smallest element; NaN if any is NaN; -inf and +inf for n = 0. */
VDI_API double vdi_max(vdi_dtype dtype, size_t n, const void *x);
VDI_API double vdi_min(vdi_dtype dtype, size_t n, const void *x);
/** Index of the first largest element that is not NaN; 0 if there is none. */
VDI_API size_t vdi_argmax(vdi_dtype dtype, size_t n, const void *x);
/** How many elements are NaN or infinite. */
VDI_API size_t vdi_count_nonfinite(vdi_dtype dtype, size_t n, const void *x);
/** y (cols) = [y +] the sum over rows of x (rows,cols), each column in rising order of rows: the gradient of a bias. */
VDI_API void vdi_sum_rows(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx, bool accumulate, void *y);
/** y[r] = log sum_c exp x[r,c]; -inf for an empty row or one of -inf. */
VDI_API void vdi_logsumexp(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx, void *y);
/** Row by row exp(x - logsumexp x), and its logarithm. y may be x. */
VDI_API void vdi_softmax(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx, void *y, size_t ldy);
VDI_API void vdi_log_softmax(vdi_dtype dtype, size_t rows, size_t cols, const void *x, size_t ldx, void *y, size_t ldy);
/** y[i,:] = x[index[i],:]. VDI_ERR_ARGUMENT (nothing written) if an index is outside 0..rows-1. */
VDI_API vdi_status vdi_gather_rows(vdi_dtype dtype, size_t count, const int64_t *index, size_t rows, size_t cols, const void *x, size_t ldx, void *y,
                                   size_t ldy);
/** y[index[i],:] += x[i,:], in rising order of i. */
VDI_API vdi_status vdi_scatter_add_rows(vdi_dtype dtype, size_t count, const int64_t *index, size_t rows, size_t cols, const void *x, size_t ldx,
                                        void *y, size_t ldy);

typedef enum vdi_reduce_op { VDI_REDUCE_SUM = 0, VDI_REDUCE_MEAN, VDI_REDUCE_MAX, VDI_REDUCE_MIN } vdi_reduce_op;
/** y = x reduced over one axis (the axis is absent in y, or has extent 1). */
VDI_API VDI_NODISCARD vdi_status vdi_tensor_reduce(vdi_reduce_op op, vdi_tensor x, int axis, vdi_tensor y, vdi_error *err);

#endif /* VDI_KERNEL_REDUCE_H */

/* ======== kernel/rnn.h ======== */
/* kernel/rnn.h - a gated recurrent unit over a sequence
 *
 * Do this:
 *     vdi_gemm(...)                       xp (T,B,3H) = x W_ih + b_ih, all times at once
 *     vdi_gru_forward(VDI_F32, T, B, H, reverse, xp, w_hh, b_hh, h0, h, gates);
 *
 * Gate order r, z, n as in PyTorch:
 *     r = sig(xp_r + h W_r + b_r);  z = sig(xp_z + h W_z + b_z);  n = tanh(xp_n + r * (h W_n + b_n));  h' = (1 - z) * n + z * h
 * w_hh (H,3H), b_hh (3H), h0 (B,H) or NULL for zero, h (T,B,H) the states after each step. `reverse` runs from T-1 down to 0.
 * A row's bits do not depend on the batch. Cho et al. 2014; the form with r after the product is that of cuDNN and PyTorch.
 */
#ifndef VDI_KERNEL_RNN_H
#define VDI_KERNEL_RNN_H

#define VDI__KERNELS_RNN(X) \
    X(gru_gates, void, (size_t rows, size_t hidden, const void *xp, const void *hp, const void *h, void *h_next, void *gates)) \
    X(gru_gates_grad, void, (size_t rows, size_t hidden, const void *gates, const void *h, const void *dh_next, void *dxp, void *dhp, void *dh))

/** One step for `rows` rows: h_next (rows,H) from xp (rows,3H) and h (rows,H). `work` holds rows * 3H elements.
 *  gates (rows,4H) receives r, z, n and h W_n + b_n for the backward pass, or is NULL. h_next may be h. */
VDI_API void vdi_gru_step(vdi_dtype dtype, size_t rows, size_t hidden, const void *xp, const void *w_hh, const void *b_hh, const void *h,
                          void *work, void *h_next, void *gates);
/** A whole sequence; gates (T,B,4H) or NULL for inference. `work` holds B * 3H elements. */
VDI_API void vdi_gru_forward(vdi_dtype dtype, size_t t, size_t batch, size_t hidden, bool reverse, const void *xp, const void *w_hh,
                             const void *b_hh, const void *h0, void *work, void *h, void *gates);
/** Backward through a whole sequence. dh (T,B,H) is the gradient of the states and is used as scratch; adds to dxp (T,B,3H), dw_hh (H,3H),
 *  db_hh (3H), dh0 (B,H) (each may be NULL except dxp). `work` holds vdi_gru_backward_work(...) elements. */
VDI_API void vdi_gru_backward(vdi_dtype dtype, size_t t, size_t batch, size_t hidden, bool reverse, const void *w_hh, const void *h0, const void *h,
                              const void *gates, void *dh, void *work, void *dxp, void *dw_hh, void *db_hh, void *dh0);
VDI_API size_t vdi_gru_backward_work(size_t t, size_t batch, size_t hidden);

#endif /* VDI_KERNEL_RNN_H */

/* ======== kernel/table.h ======== */
/* kernel/table.h - the table of kernels: one constant row per path and real type, and the list of their names
 *
 * Do this:
 *     for (size_t i = 0; i < vdi_kernel_count(); i++)
 *         printf("%s: %s\n", vdi_kernel_name(i), vdi_kernel_path(i, VDI_SIMD_AVX2, VDI_F32));
 */
#ifndef VDI_KERNEL_TABLE_H
#define VDI_KERNEL_TABLE_H

#define VDI__KERNELS(X) VDI__KERNELS_ELEMENTWISE(X) VDI__KERNELS_REDUCE(X) VDI__KERNELS_GEMM(X) VDI__KERNELS_RNN(X) VDI__KERNELS_OPTIM(X)

typedef struct vdi__kernels {
    vdi__unary_fn *unary[VDI_UNARY_COUNT];
    vdi__unary_grad_fn *unary_grad[VDI_UNARY_COUNT];
    vdi__binary_fn *binary[VDI_BINARY_COUNT];
#define VDI__X(name, result, args) result(*name) args;
    VDI__KERNELS(VDI__X)
#undef VDI__X
} vdi__kernels;

/** How many kernels there are, and what they are called ("exp", "exp_grad", "gemm" ...). */
VDI_API size_t vdi_kernel_count(void);
VDI_API const char *vdi_kernel_name(size_t i);
/** What serves kernel i on that path: the path's own name, "scalar" if it has to fall back, or "-" if the path is not in this build. */
VDI_API const char *vdi_kernel_path(size_t i, vdi_simd simd, vdi_dtype dtype);

#endif /* VDI_KERNEL_TABLE_H */


/* ======== linalg/blocktri.h ======== */
/* linalg/blocktri.h - symmetric positive definite block-tridiagonal matrices: the precision of a Gaussian over time
 *
 * Do this:
 *     vdi_blocktri_desc desc = {0};
 *     desc.dtype = VDI_F64; desc.trials = B; desc.T = T; desc.d = d;
 *     void *mem = malloc(vdi_blocktri_memsize(&desc));
 *     vdi_blocktri bt;
 *     vdi_blocktri_init(&bt, &desc, mem, size, &err);
 *     if (vdi_blocktri_factor(&bt, D, E, &err) < 0) puts(err.message);      "trial 3, block 17: not positive definite"
 *     vdi_blocktri_solve(&bt, 1, h, x);                                     J x = h
 *     vdi_blocktri_sample(&bt, 1, eps, z);                                  z = L^{-T} eps, covariance J^{-1}
 *     vdi_blocktri_marginals(&bt, S, O);                                    the blocks of J^{-1} on and under the diagonal
 *
 * For each of B trials J is (T d)x(T d) with diagonal blocks D_t (symmetric; both triangles are given, the lower one is read) and
 * sub-diagonal blocks E_t = J_{t+1,t}. Arrays are packed, row-major: D (B,T,d,d), E (B,T-1,d,d), vectors (S,B,T,d) with S the
 * number of right-hand sides. J = L L': L_1 = chol D_1, M_t = E_t L_t^{-T}, L_{t+1} = chol(D_{t+1} - M_t M_t').
 * Ragged trials: `lengths` (B) says how many blocks of each trial count; what lies behind them is not read, and is written as 0.
 * Everything is O(T d^3) and allocates nothing after init.
 *
 * How it runs: many trials at small d go through SIMD lanes, one trial per lane; one long trial at small d is eliminated with
 * vector columns, from both ends where that is faster; large d is blocked inside each block. The choice depends on the
 * description alone, so the bits do not depend on threads.
 *
 * Errors: a block that is not positive definite (or not finite) gives VDI_ERR_NOT_POSITIVE_DEFINITE naming trial and block; the
 * factor is then unusable until the next successful factor call. Threads: one object per thread, or desc.pool.
 * What it does not do: pivoting, indefinite matrices, blocks of different size.
 */
#ifndef VDI_LINALG_BLOCKTRI_H
#define VDI_LINALG_BLOCKTRI_H

/* kernels, one per path: X(name, result, (arguments)) */
#define VDI__LINALG_KERNELS_BLOCKTRI(X) X(placeholder_blocktri, int, (int x))

/** Shape of a batch of block-tridiagonal systems. */
typedef struct vdi_blocktri_desc {
    vdi_dtype dtype;        /**< VDI_F32 or VDI_F64 */
    int64_t trials;         /**< B >= 1 */
    int64_t T;              /**< blocks per trial, >= 1 */
    int64_t d;              /**< block size, >= 1 */
    const int64_t *lengths; /**< (B), each 0..T; NULL: all T. Read at init, not kept */
    vdi_pool *pool;         /**< NULL: the caller's thread alone. Split by groups of trials */
} vdi_blocktri_desc;

/** A factorised batch: a handle into the caller's block. Treat the members as private. */
typedef struct vdi_blocktri {
    vdi_dtype dtype;
    int32_t method; /* how it runs */
    int64_t trials, T, d, groups;
    int64_t *lengths; /* (B) in the block, or NULL if all are T */
    void *factor;     /* in the method's own layout */
    void *work;
    vdi_pool *pool;
    bool factored;
} vdi_blocktri;

/** Bytes that the systems need; SIZE_MAX if the description is out of range. */
VDI_API size_t vdi_blocktri_memsize(const vdi_blocktri_desc *desc);
/** Set up inside the caller's block of at least vdi_blocktri_memsize bytes (any alignment). */
VDI_API VDI_NODISCARD vdi_status vdi_blocktri_init(vdi_blocktri *bt, const vdi_blocktri_desc *desc, void *mem, size_t size, vdi_error *err);
/** Factorise: D (B,T,d,d), E (B,T-1,d,d) (NULL where T is 1). */
VDI_API VDI_NODISCARD vdi_status vdi_blocktri_factor(vdi_blocktri *bt, const void *D, const void *E, vdi_error *err);
/** log det J per trial, out (B). */
VDI_API void vdi_blocktri_logdet(const vdi_blocktri *bt, void *out);
/** x = J^{-1} h, both (nrhs,B,T,d); x may be h. */
VDI_API void vdi_blocktri_solve(const vdi_blocktri *bt, int64_t nrhs, const void *h, void *x);
/** x = L^{-1} h (half a solve: whitening). */
VDI_API void vdi_blocktri_solve_lower(const vdi_blocktri *bt, int64_t nrhs, const void *h, void *x);
/** z = L^{-T} eps, both (nrhs,B,T,d); z may be eps. With eps ~ N(0,I), z ~ N(0,J^{-1}). */
VDI_API void vdi_blocktri_sample(const vdi_blocktri *bt, int64_t nrhs, const void *eps, void *z);
/** S (B,T,d,d) = Cov(z_t), O (B,T-1,d,d) = Cov(z_{t+1}, z_t): the blocks of J^{-1}. O may be NULL. */
VDI_API void vdi_blocktri_marginals(const vdi_blocktri *bt, void *S, void *O);
/** The Cholesky blocks themselves: L (B,T,d,d) lower with positive diagonals, M (B,T-1,d,d). Either may be NULL. */
VDI_API void vdi_blocktri_get_factor(const vdi_blocktri *bt, void *L, void *M);
/** y = J x, both (nrhs,B,T,d), from the blocks themselves; y may not be x. Needs no factor. */
VDI_API void vdi_blocktri_matvec(const vdi_blocktri *bt, const void *D, const void *E, int64_t nrhs, const void *x, void *y);

/* ---- reverse mode ----------------------------------------------------------------------------------------------------------
 * For a scalar F of the outputs, given the cotangents of the outputs, these add the cotangents of h, eps, D and E.
 * Convention: the cotangent of D_t is symmetric (dF = sum_ij Dbar_ij dD_ij for a symmetric dD), that of E_t is for the stored lower
 * block (so it holds both places in which E_t stands in J). Source: the adjoints of Cholesky (Murray 2016) and of the
 * selected inverse; docs/blocktri.md derives them. All need the factor of the very D, E whose cotangents they add.
 */
/** Bytes of scratch for the adjoints below. */
VDI_API size_t vdi_blocktri_adjoint_worksize(const vdi_blocktri_desc *desc);
/** F through log det: ldbar (B). Adds to Dbar (B,T,d,d), Ebar (B,T-1,d,d). */
VDI_API void vdi_blocktri_logdet_adjoint(const vdi_blocktri *bt, const void *ldbar, void *work, void *Dbar, void *Ebar);
/** F through x = J^{-1} h: xbar (nrhs,B,T,d). Adds to hbar (nrhs,B,T,d), Dbar, Ebar; each may be NULL. */
VDI_API void vdi_blocktri_solve_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *x, const void *xbar, void *work, void *hbar, void *Dbar,
                                        void *Ebar);
/** F through z = L^{-T} eps: zbar (nrhs,B,T,d). Adds to epsbar, Dbar, Ebar; each may be NULL. */
VDI_API void vdi_blocktri_sample_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *z, const void *zbar, void *work, void *epsbar, void *Dbar,
                                         void *Ebar);
/** F through S and O: Sbar (B,T,d,d) (any, its symmetric part counts), Obar (B,T-1,d,d) or NULL; S, O as vdi_blocktri_marginals gave them. */
VDI_API void vdi_blocktri_marginals_adjoint(const vdi_blocktri *bt, const void *S, const void *O, const void *Sbar, const void *Obar, void *work,
                                            void *Dbar, void *Ebar);
/** F through L and M themselves (for functions of the factor that are not listed above). Adds to Dbar, Ebar. */
VDI_API void vdi_blocktri_factor_adjoint(const vdi_blocktri *bt, const void *Lbar, const void *Mbar, void *work, void *Dbar, void *Ebar);

#endif /* VDI_LINALG_BLOCKTRI_H */

/* ======== linalg/dense.h ======== */
/* linalg/dense.h - Cholesky, LDL', triangular solves, symmetric eigenvalues and SVD for small dense matrices
 *
 * Do this:
 *     if (vdi_cholesky(VDI_F64, n, A, n, &err) < 0) ...           A = L L', lower triangle in place, upper one zeroed
 *     vdi_trsm(VDI_F64, VDI_TRSM_LOWER, n, rhs, A, n, X, rhs);    X = L^{-1} X
 *     vdi_eigh(VDI_F64, n, A, n, values, vectors, work);
 *
 * Row-major with leading dimension. Meant for n up to a few hundred; errors are backward stable (residual ratios as LAPACK's).
 */
#ifndef VDI_LINALG_DENSE_H
#define VDI_LINALG_DENSE_H

/* kernels, one per path: X(name, result, (arguments)) */
#define VDI__LINALG_KERNELS_DENSE(X) X(placeholder_dense, int, (int x))

/** A (n,n), lower triangle read: overwritten by L with A = L L', the upper triangle by 0.
 *  VDI_ERR_NOT_POSITIVE_DEFINITE names the pivot; A is then partly overwritten. */
VDI_API VDI_NODISCARD vdi_status vdi_cholesky(vdi_dtype dtype, size_t n, void *a, size_t lda, vdi_error *err);
/** A = L D L' with unit lower L and diagonal D (n), no pivoting: for positive definite or quasi-definite A.
 *  A's strict lower triangle becomes L, its diagonal 1, its upper triangle 0. VDI_ERR_NUMERIC on a zero or non-finite pivot. */
VDI_API VDI_NODISCARD vdi_status vdi_ldl(vdi_dtype dtype, size_t n, void *a, size_t lda, void *diag, vdi_error *err);

/** Flags of vdi_trsm. */
enum {
    VDI_TRSM_LOWER = 0, /**< op(L) X = B */
    VDI_TRSM_TRANS = 1, /**< with L' instead of L */
    VDI_TRSM_RIGHT = 2  /**< X op(L) = B */
};
/** Solve with the lower triangle L (n,n) in place: B is (n,m), or (m,n) with VDI_TRSM_RIGHT. The diagonal of L must not be 0. */
VDI_API void vdi_trsm(vdi_dtype dtype, int flags, size_t n, size_t m, const void *l, size_t ldl, void *b, size_t ldb);
/** Solve A X = B (n,m) in place, from A's Cholesky factor. */
VDI_API void vdi_cholesky_solve(vdi_dtype dtype, size_t n, size_t m, const void *l, size_t ldl, void *b, size_t ldb);
/** log det A = 2 sum log L_ii. */
VDI_API double vdi_cholesky_logdet(vdi_dtype dtype, size_t n, const void *l, size_t ldl);
/** Inverse (n,n) of A from its Cholesky factor, both triangles; for reporting a covariance, not for solving. `inv` may not be `l`. */
VDI_API void vdi_cholesky_inverse(vdi_dtype dtype, size_t n, const void *l, size_t ldl, void *inv, size_t ldi);

/** A = V diag(w) V' of a symmetric A (n,n), lower triangle read: w (n) rising, V (n,n) packed with eigenvectors as columns, each with
 *  its largest entry positive. Jacobi, cyclic. `work` holds n*n elements. VDI_ERR_NUMERIC if A is not finite. */
VDI_API VDI_NODISCARD vdi_status vdi_eigh(vdi_dtype dtype, size_t n, const void *a, size_t lda, void *w, void *v, void *work, vdi_error *err);
/** A (m,n) = U diag(s) V': with r = min(m,n), U (m,r), s (r) falling, Vt (r,n), all packed. One-sided Jacobi (accurate for small s).
 *  `work` holds vdi_svd_work(m,n) elements. VDI_ERR_NUMERIC if A is not finite. */
VDI_API VDI_NODISCARD vdi_status vdi_svd(vdi_dtype dtype, size_t m, size_t n, const void *a, size_t lda, void *u, void *s, void *vt, void *work,
                                         vdi_error *err);
VDI_API size_t vdi_svd_work(size_t m, size_t n);

#endif /* VDI_LINALG_DENSE_H */

/* ======== linalg/table.h ======== */
/* linalg/table.h - the table of linalg's kernels, one constant row per path and real type (see kernel/table.h) */
#ifndef VDI_LINALG_TABLE_H
#define VDI_LINALG_TABLE_H

/* X(name, result, (arguments)): each is VDI_PN(vdi__linalg_<name>) in a body */
#define VDI__LINALG_KERNELS(X) VDI__LINALG_KERNELS_DENSE(X) VDI__LINALG_KERNELS_BLOCKTRI(X)

typedef struct vdi__linalg_kernels {
#define VDI__X(name, result, args) result(*name) args;
    VDI__LINALG_KERNELS(VDI__X)
#undef VDI__X
} vdi__linalg_kernels;

#endif /* VDI_LINALG_TABLE_H */


/* ======================== implementation ======================== */
#if defined(VDI_CORE_IMPLEMENTATION)
#define VDI__BODIES

/* ======== core/text.h, implementation ======== */
#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_TEXT_C)
#define VDI_CORE_TEXT_C

VDI__DEF size_t vdi_text_copy(char *buf, size_t cap, const char *s) {
    size_t n = 0;
    if (!cap) return 0;
    for (; s && s[n] && n + 1 < cap; n++) buf[n] = s[n];
    buf[n] = 0;
    return n;
}

VDI__FN size_t vdi__text_unsigned(char *buf, unsigned long long x, unsigned base) {
    char r[24];
    size_t n = 0, i;
    do r[n++] = "0123456789abcdef"[x % base];
    while (x /= base);
    for (i = 0; i < n; i++) buf[i] = r[n - 1 - i];
    buf[n] = 0;
    return n;
}

VDI__DEF size_t vdi_text_vformat(char *buf, size_t cap, const char *format, va_list args) {
    size_t n = 0;
    if (!cap) return 0;
    while (*format && n + 1 < cap) {
        char number[VDI_TEXT_NUMBER];
        const char *piece = number;
        int longs = 0, digits = 6;
        if (*format != '%') {
            buf[n++] = *format++;
            continue;
        }
        format++;
        if (*format == '.')
            for (digits = 0, format++; *format >= '0' && *format <= '9'; format++) digits = 10 * digits + (*format - '0');
        for (; *format == 'l' || *format == 'z'; format++) longs += *format == 'z' ? 3 : 1;
        switch (*format) {
        case 's': piece = va_arg(args, const char *); break;
        case 'c': number[0] = (char)va_arg(args, int), number[1] = 0; break;
        case 'd': {
            long long x = longs == 0 ? va_arg(args, int) : longs == 1 ? va_arg(args, long) : va_arg(args, long long);
            number[0] = '-';
            (void)vdi__text_unsigned(number + (x < 0), x < 0 ? 0ULL - (unsigned long long)x : (unsigned long long)x, 10);
            break;
        }
        case 'u':
        case 'x': {
            unsigned base = *format == 'x' ? 16 : 10;
            unsigned long long x = longs == 0   ? va_arg(args, unsigned)
                                   : longs == 1 ? va_arg(args, unsigned long)
                                   : longs == 2 ? va_arg(args, unsigned long long)
                                                : va_arg(args, size_t);
            (void)vdi__text_unsigned(number, x, base);
            break;
        }
        case 'g': (void)vdi_text_double(number, va_arg(args, double), digits); break;
        default: number[0] = *format, number[1] = 0; break;
        }
        if (*format) format++;
        n += vdi_text_copy(buf + n, cap - n, piece);
    }
    buf[n] = 0;
    return n;
}

VDI__DEF size_t vdi_text_format(char *buf, size_t cap, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t n = vdi_text_vformat(buf, cap, format, args);
    va_end(args);
    return n;
}

VDI__DEF size_t vdi_text_double(char *buf, double x, int digits) {
    /* replaced by the exact version */
    (void)digits;
    return vdi__text_unsigned(buf, (unsigned long long)(x < 0 ? -x : x), 10);
}
#endif

/* ======== core/status.h, implementation ======== */
#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_STATUS_C)
#define VDI_CORE_STATUS_C

VDI__DEF const char *vdi_status_name(vdi_status status) {
    switch (status) {
    case VDI_OK: return "ok";
    case VDI_ERR_ARGUMENT: return "bad argument";
    case VDI_ERR_SHAPE: return "shapes differ";
    case VDI_ERR_DTYPE: return "wrong dtype";
    case VDI_ERR_MEMORY: return "out of memory";
    case VDI_ERR_DATA: return "bad data";
    case VDI_ERR_NOT_POSITIVE_DEFINITE: return "not positive definite";
    case VDI_ERR_IO: return "input or output failed";
    case VDI_ERR_FORMAT: return "bad file format";
    case VDI_ERR_STATE: return "call out of order";
    case VDI_ERR_UNSUPPORTED: return "not supported";
    case VDI_ERR_NUMERIC: return "not finite";
    case VDI_NOT_CONVERGED: return "not converged";
    case VDI_END: return "end of data";
    case VDI_STOPPED: return "stopped";
    }
    return "unknown status";
}

VDI__DEF vdi_status vdi_error_set(vdi_error *err, vdi_status status, const char *where, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        (void)vdi_text_vformat(err->message, sizeof err->message, format, args);
        va_end(args);
        (void)vdi_text_copy(err->where, sizeof err->where, where);
    }
    return status;
}
#endif

/* ======== core/alloc.h, implementation ======== */
#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_ALLOC_C)
#define VDI_CORE_ALLOC_C

/* ISO C has no aligned_alloc that every C library offers, so the block start is kept just below the aligned address. */
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

#define VDI__CHUNK_HEADER VDI_ALIGN

VDI__FN vdi__chunk *vdi__arena_grow(vdi_arena *arena, size_t size) {
    size_t data = VDI__MAX(arena->chunk_size, size);
    vdi__chunk *c = (vdi__chunk *)vdi_alloc(&arena->allocator, vdi_add_size(data, VDI__CHUNK_HEADER));
    if (!c) return NULL;
    c->size = data;
    c->used = 0;
    c->next = arena->current ? arena->current->next : arena->first;
    if (arena->current) arena->current->next = c;
    else arena->first = c;
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
    if (n == SIZE_MAX) return NULL;
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
    void *p = vdi_arena_alloc(arena, size);
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
    for (; c; c = c->next) c->used = 0;
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

/* ======== core/log.h, implementation ======== */
#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_LOG_C)
#define VDI_CORE_LOG_C
VDI__DEF void vdi_log_message(const vdi_logger *logger, vdi_log_level level, const char *where, const char *format, ...) {
    char message[256];
    va_list args;
    vdi_log_record record;
    if (!logger || !logger->log_fn) return;
    va_start(args, format);
    (void)vdi_text_vformat(message, sizeof message, format, args);
    va_end(args);
    record.level = level;
    record.where = where;
    record.message = message;
    logger->log_fn(&record, logger->user);
}
#endif

/* ======== core/tensor.h, implementation ======== */
#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_TENSOR_C)
#define VDI_CORE_TENSOR_C

VDI__DEF size_t vdi_dtype_size(vdi_dtype dtype) {
    static const uint8_t size[VDI_DTYPE_COUNT] = {4, 8, 1, 2, 4, 8, 1};
    return (unsigned)dtype < VDI_DTYPE_COUNT ? size[dtype] : 0;
}

VDI__DEF const char *vdi_dtype_name(vdi_dtype dtype) {
    static const char *const name[VDI_DTYPE_COUNT] = {"float32", "float64", "uint8", "int16", "int32", "int64", "bool"};
    return (unsigned)dtype < VDI_DTYPE_COUNT ? name[dtype] : "?";
}

VDI__FN vdi_tensor vdi__tensor_null(void) {
    vdi_tensor t = VDI__ZERO;
    t.ndim = -1;
    return t;
}

/* Elements of a shape, or -1 if an extent is negative or the bytes of 8-byte elements would overflow. */
VDI__FN int64_t vdi__shape_count(int ndim, const int64_t *shape) {
    int64_t n = 1;
    bool empty = false;
    if (ndim < 0 || ndim > VDI_MAX_DIMS) return -1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0) return -1;
        if (shape[i] == 0) empty = true;
        else if (n > INT64_MAX / 8 / shape[i]) return -1;
        else n *= shape[i];
    }
    if (empty) return 0;
    return (uint64_t)n > SIZE_MAX / 8 ? -1 : n;
}

VDI__DEF vdi_tensor vdi_tensor_view(void *data, vdi_dtype dtype, int ndim, const int64_t *shape) {
    vdi_tensor t = VDI__ZERO;
    if (vdi__shape_count(ndim, shape) < 0) return vdi__tensor_null();
    t.data = data;
    t.dtype = dtype;
    t.ndim = ndim;
    int64_t step = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        t.shape[i] = shape[i];
        t.stride[i] = step;
        step *= VDI__MAX(shape[i], 1);
    }
    return t;
}

VDI__DEF vdi_tensor vdi_tensor_1d(void *data, vdi_dtype dtype, int64_t n0) { return vdi_tensor_view(data, dtype, 1, &n0); }
VDI__DEF vdi_tensor vdi_tensor_2d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1) {
    int64_t shape[2];
    shape[0] = n0, shape[1] = n1;
    return vdi_tensor_view(data, dtype, 2, shape);
}
VDI__DEF vdi_tensor vdi_tensor_3d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1, int64_t n2) {
    int64_t shape[3];
    shape[0] = n0, shape[1] = n1, shape[2] = n2;
    return vdi_tensor_view(data, dtype, 3, shape);
}
VDI__DEF vdi_tensor vdi_tensor_4d(void *data, vdi_dtype dtype, int64_t n0, int64_t n1, int64_t n2, int64_t n3) {
    int64_t shape[4];
    shape[0] = n0, shape[1] = n1, shape[2] = n2, shape[3] = n3;
    return vdi_tensor_view(data, dtype, 4, shape);
}

VDI__DEF int64_t vdi_tensor_count(vdi_tensor t) {
    int64_t n = 1;
    if (t.ndim < 0) return 0;
    for (int i = 0; i < t.ndim; i++) n *= t.shape[i];
    return n;
}

VDI__DEF size_t vdi_tensor_bytes(vdi_tensor t) { return (size_t)vdi_tensor_count(t) * vdi_dtype_size(t.dtype); }

VDI__DEF bool vdi_tensor_is_contiguous(vdi_tensor t) {
    int64_t step = 1;
    for (int i = t.ndim - 1; i >= 0; i--) {
        if (t.shape[i] == 0) return true;
        if (t.shape[i] != 1 && t.stride[i] != step) return false;
        step *= t.shape[i];
    }
    return t.ndim >= 0;
}

VDI__DEF bool vdi_tensor_same_shape(vdi_tensor a, vdi_tensor b) {
    if (a.ndim != b.ndim) return false;
    for (int i = 0; i < a.ndim; i++)
        if (a.shape[i] != b.shape[i]) return false;
    return true;
}

VDI__DEF const char *vdi_tensor_shape_text(vdi_tensor t, char *buf) {
    size_t n = vdi_text_copy(buf, VDI_SHAPE_TEXT, t.ndim < 0 ? "(null" : "(");
    for (int i = 0; i < t.ndim; i++)
        n += vdi_text_format(buf + n, VDI_SHAPE_TEXT - n, i + 1 < t.ndim || t.ndim == 1 ? "%lld," : "%lld", (long long)t.shape[i]);
    (void)vdi_text_copy(buf + n, VDI_SHAPE_TEXT - n, ")");
    return buf;
}

VDI__DEF vdi_status vdi_tensor_alloc(const vdi_allocator *a, vdi_dtype dtype, int ndim, const int64_t *shape, vdi_tensor *out,
                                     vdi_error *err) {
    vdi_tensor t = vdi_tensor_view(NULL, dtype, ndim, shape);
    *out = vdi__tensor_null();
    if (!vdi_tensor_ok(t)) return vdi_error_set(err, VDI_ERR_SHAPE, "vdi_tensor_alloc", "%d dimensions, or an extent, is out of range", ndim);
    size_t bytes = vdi_tensor_bytes(t);
    t.data = vdi_alloc(a, bytes);
    if (!t.data) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_tensor_alloc", "no memory for %zu bytes", bytes);
    memset(t.data, 0, bytes);
    *out = t;
    return VDI_OK;
}

VDI__DEF void vdi_tensor_free(const vdi_allocator *a, vdi_tensor *t) {
    if (t->ndim >= 0) vdi_free(a, t->data, vdi_tensor_bytes(*t));
    *t = vdi__tensor_null();
}

VDI__DEF vdi_tensor vdi_arena_tensor(vdi_arena *arena, vdi_dtype dtype, int ndim, const int64_t *shape) {
    vdi_tensor t = vdi_tensor_view(NULL, dtype, ndim, shape);
    if (!vdi_tensor_ok(t)) return t;
    t.data = vdi_arena_calloc(arena, vdi_tensor_bytes(t));
    return t.data ? t : vdi__tensor_null();
}

VDI__FN void *vdi__tensor_at(vdi_tensor t, int64_t offset) {
    return t.data ? (char *)t.data + offset * (int64_t)vdi_dtype_size(t.dtype) : NULL;
}

VDI__DEF vdi_tensor vdi_tensor_slice(vdi_tensor t, int axis, int64_t start, int64_t step, int64_t count) {
    if (axis < 0 || axis >= t.ndim || count < 0) return vdi__tensor_null();
    if (count > 0) {
        int64_t extent = t.shape[axis];
        if (start < 0 || start >= extent || step < -extent || step > extent) return vdi__tensor_null();
        if (step > 0 && count - 1 > (extent - 1 - start) / step) return vdi__tensor_null();
        if (step < 0 && count - 1 > start / -step) return vdi__tensor_null();
        t.data = vdi__tensor_at(t, start * t.stride[axis]);
    }
    t.shape[axis] = count;
    t.stride[axis] *= step;
    return t;
}

VDI__DEF vdi_tensor vdi_tensor_index(vdi_tensor t, int axis, int64_t i) {
    t = vdi_tensor_slice(t, axis, i, 1, 1);
    for (int k = axis; k + 1 < t.ndim; k++) {
        t.shape[k] = t.shape[k + 1];
        t.stride[k] = t.stride[k + 1];
    }
    if (t.ndim > 0) t.ndim--;
    return t;
}

VDI__DEF vdi_tensor vdi_tensor_permute(vdi_tensor t, const int *order) {
    vdi_tensor r = t;
    unsigned seen = 0;
    for (int i = 0; i < t.ndim; i++) {
        if (order[i] < 0 || order[i] >= t.ndim || (seen >> order[i] & 1u)) return vdi__tensor_null();
        seen |= 1u << order[i];
        r.shape[i] = t.shape[order[i]];
        r.stride[i] = t.stride[order[i]];
    }
    return r;
}

VDI__DEF vdi_tensor vdi_tensor_transpose(vdi_tensor t) {
    int order[VDI_MAX_DIMS] = {0, 1, 2, 3, 4, 5};
    if (t.ndim < 2) return t;
    order[t.ndim - 2] = t.ndim - 1;
    order[t.ndim - 1] = t.ndim - 2;
    return vdi_tensor_permute(t, order);
}

VDI__DEF vdi_tensor vdi_tensor_reshape(vdi_tensor t, int ndim, const int64_t *shape) {
    int64_t s[VDI_MAX_DIMS], known = 1, count = vdi_tensor_count(t);
    int open = -1;
    if (!vdi_tensor_is_contiguous(t) || ndim < 0 || ndim > VDI_MAX_DIMS) return vdi__tensor_null();
    for (int i = 0; i < ndim; i++) {
        s[i] = shape[i];
        if (s[i] == -1 && open < 0) open = i;
        else if (s[i] < 0 || (s[i] > 0 && known > INT64_MAX / s[i])) return vdi__tensor_null();
        else known *= s[i];
    }
    if (open >= 0) {
        if (known == 0 || count % known) return vdi__tensor_null();
        s[open] = count / known;
    } else if (known != count) return vdi__tensor_null();
    return vdi_tensor_view(t.data, t.dtype, ndim, s);
}

VDI__DEF vdi_tensor vdi_tensor_broadcast_to(vdi_tensor t, int ndim, const int64_t *shape) {
    vdi_tensor r = vdi_tensor_view(t.data, t.dtype, ndim, shape);
    int lead = ndim - t.ndim;
    if (!vdi_tensor_ok(r) || !vdi_tensor_ok(t) || lead < 0) return vdi__tensor_null();
    for (int i = 0; i < ndim; i++) {
        if (i < lead || (t.shape[i - lead] == 1 && shape[i] != 1)) r.stride[i] = 0;
        else if (t.shape[i - lead] == shape[i]) r.stride[i] = t.stride[i - lead];
        else return vdi__tensor_null();
    }
    return r;
}

VDI__DEF int vdi_broadcast_shape(vdi_tensor a, vdi_tensor b, int64_t shape[VDI_MAX_DIMS]) {
    int n = VDI__MAX(a.ndim, b.ndim);
    if (a.ndim < 0 || b.ndim < 0) return -1;
    for (int i = 0; i < n; i++) {
        int64_t x = i < n - a.ndim ? 1 : a.shape[i - (n - a.ndim)];
        int64_t y = i < n - b.ndim ? 1 : b.shape[i - (n - b.ndim)];
        if (x != y && x != 1 && y != 1) return -1;
        shape[i] = x == 1 ? y : x;
    }
    return n;
}

VDI__DEF double vdi_dtype_load(vdi_dtype dtype, const void *p, int64_t i) {
    switch (dtype) {
    case VDI_F32: return ((const float *)p)[i];
    case VDI_F64: return ((const double *)p)[i];
    case VDI_U8: return ((const uint8_t *)p)[i];
    case VDI_I16: return ((const int16_t *)p)[i];
    case VDI_I32: return ((const int32_t *)p)[i];
    case VDI_I64: return (double)((const int64_t *)p)[i];
    case VDI_BOOL: return ((const uint8_t *)p)[i] != 0;
    }
    return 0;
}

VDI__FN double vdi__round_clamp(double x, double lo, double hi) {
    return !(x == x) ? 0 : x <= lo ? lo : x >= hi ? hi : nearbyint(x);
}

VDI__DEF void vdi_dtype_store(vdi_dtype dtype, void *p, int64_t i, double value) {
    switch (dtype) {
    case VDI_F32: ((float *)p)[i] = (float)value; break;
    case VDI_F64: ((double *)p)[i] = value; break;
    case VDI_U8: ((uint8_t *)p)[i] = (uint8_t)vdi__round_clamp(value, 0, 255); break;
    case VDI_I16: ((int16_t *)p)[i] = (int16_t)vdi__round_clamp(value, -32768, 32767); break;
    case VDI_I32: ((int32_t *)p)[i] = (int32_t)vdi__round_clamp(value, -2147483648.0, 2147483647.0); break;
    case VDI_I64:
        /* 2^63 is the first double that does not fit */
        ((int64_t *)p)[i] = value >= 9223372036854775808.0 ? INT64_MAX
                            : value <= -9223372036854775808.0 ? INT64_MIN
                                                              : (int64_t)vdi__round_clamp(value, -9.3e18, 9.3e18);
        break;
    case VDI_BOOL: ((uint8_t *)p)[i] = value != 0; break;
    }
}

/* Walks any strided tensor by rows of its last axis. */
typedef struct vdi__rows {
    int64_t index[VDI_MAX_DIMS];
    int64_t left; /* rows still to come */
} vdi__rows;

VDI__FN vdi__rows vdi__rows_begin(vdi_tensor t) {
    vdi__rows r = VDI__ZERO;
    r.left = vdi_tensor_ok(t) ? 1 : 0;
    for (int i = 0; i + 1 < t.ndim; i++) r.left *= t.shape[i];
    return r;
}

VDI__FN int64_t vdi__rows_offset(const vdi__rows *r, vdi_tensor t) {
    int64_t offset = 0;
    for (int i = 0; i + 1 < t.ndim; i++) offset += r->index[i] * t.stride[i];
    return offset;
}

VDI__FN void vdi__rows_next(vdi__rows *r, vdi_tensor t) {
    r->left--;
    for (int i = t.ndim - 2; i >= 0; i--) {
        if (++r->index[i] < t.shape[i]) return;
        r->index[i] = 0;
    }
}

VDI__DEF vdi_status vdi_tensor_copy(vdi_tensor dst, vdi_tensor src, vdi_error *err) {
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    vdi_tensor from = vdi_tensor_broadcast_to(src, VDI__MAX(dst.ndim, 0), dst.shape);
    if (!vdi_tensor_ok(dst) || !vdi_tensor_ok(from))
        return vdi_error_set(err, VDI_ERR_SHAPE, "vdi_tensor_copy", "dst is %s, src is %s: src does not broadcast to dst",
                             vdi_tensor_shape_text(dst, a), vdi_tensor_shape_text(src, b));
    if (vdi_tensor_count(dst) == 0) return VDI_OK;
    if (dst.dtype == from.dtype && vdi_tensor_is_contiguous(dst) && vdi_tensor_is_contiguous(from)) {
        memmove(dst.data, from.data, vdi_tensor_bytes(dst));
        return VDI_OK;
    }
    int64_t n = dst.ndim ? dst.shape[dst.ndim - 1] : 1;
    int64_t ds = dst.ndim ? dst.stride[dst.ndim - 1] : 1, ss = from.ndim ? from.stride[from.ndim - 1] : 1;
    bool exact = dst.dtype == VDI_I64 && from.dtype == VDI_I64; /* a double does not hold every int64 */
    for (vdi__rows r = vdi__rows_begin(dst); r.left > 0; vdi__rows_next(&r, dst)) {
        void *d = vdi__tensor_at(dst, vdi__rows_offset(&r, dst));
        const void *s = vdi__tensor_at(from, vdi__rows_offset(&r, from));
        for (int64_t i = 0; i < n; i++) {
            if (exact) ((int64_t *)d)[i * ds] = ((const int64_t *)s)[i * ss];
            else vdi_dtype_store(dst.dtype, d, i * ds, vdi_dtype_load(from.dtype, s, i * ss));
        }
    }
    return VDI_OK;
}

VDI__DEF void vdi_tensor_fill(vdi_tensor t, double value) {
    if (vdi_tensor_count(t) == 0) return;
    int64_t n = t.ndim ? t.shape[t.ndim - 1] : 1, step = t.ndim ? t.stride[t.ndim - 1] : 1;
    for (vdi__rows r = vdi__rows_begin(t); r.left > 0; vdi__rows_next(&r, t)) {
        void *p = vdi__tensor_at(t, vdi__rows_offset(&r, t));
        for (int64_t i = 0; i < n; i++) vdi_dtype_store(t.dtype, p, i * step, value);
    }
}

VDI__FN int64_t vdi__tensor_offset(vdi_tensor t, const int64_t *index) {
    int64_t offset = 0;
    for (int i = 0; i < t.ndim; i++) {
        VDI_ASSERT(index[i] >= 0 && index[i] < t.shape[i]);
        offset += index[i] * t.stride[i];
    }
    return offset;
}

VDI__DEF double vdi_tensor_get(vdi_tensor t, const int64_t *index) {
    return vdi_dtype_load(t.dtype, t.data, vdi__tensor_offset(t, index));
}

VDI__DEF void vdi_tensor_set(vdi_tensor t, const int64_t *index, double value) {
    vdi_dtype_store(t.dtype, t.data, vdi__tensor_offset(t, index), value);
}

VDI__DEF int64_t vdi_tensor_count_nonfinite(vdi_tensor t) {
    int64_t bad = 0;
    if (vdi_tensor_count(t) == 0 || !vdi_dtype_is_real(t.dtype)) return 0;
    int64_t n = t.ndim ? t.shape[t.ndim - 1] : 1, step = t.ndim ? t.stride[t.ndim - 1] : 1;
    for (vdi__rows r = vdi__rows_begin(t); r.left > 0; vdi__rows_next(&r, t)) {
        const void *p = vdi__tensor_at(t, vdi__rows_offset(&r, t));
        for (int64_t i = 0; i < n; i++) {
            double x = vdi_dtype_load(t.dtype, p, i * step);
            bad += !(x - x == 0);
        }
    }
    return bad;
}
#endif

/* ======== kernel/cpu.h, implementation ======== */
#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_CPU_C)
#define VDI_KERNEL_CPU_C

#if VDI__HAVE_SSE2 || VDI__HAVE_AVX2 || VDI__HAVE_AVX512
#include <immintrin.h>
#endif
#if VDI__HAVE_NEON
#include <arm_neon.h>
#endif

static int vdi__simd_index = 0; /* 0: not looked for yet */

VDI__DEF const char *vdi_simd_name(vdi_simd simd) {
    static const char *const name[VDI_SIMD_COUNT] = {"auto", "scalar", "sse2", "avx2", "avx512", "neon"};
    return (unsigned)simd < VDI_SIMD_COUNT ? name[simd] : "?";
}

VDI__DEF bool vdi_simd_available(vdi_simd simd) {
    switch (simd) {
    case VDI_SIMD_AUTO:
    case VDI_SIMD_SCALAR: return true;
#if VDI__HAVE_SSE2
    case VDI_SIMD_SSE2: return __builtin_cpu_supports("sse2") != 0;
#endif
#if VDI__HAVE_AVX2
    case VDI_SIMD_AVX2: return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#endif
#if VDI__HAVE_AVX512
    case VDI_SIMD_AVX512:
        return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
               __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
               __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#endif
#if VDI__HAVE_NEON
    case VDI_SIMD_NEON: return true;
#endif
    default: return false;
    }
}

VDI__FN int vdi__simd_best(void) {
    static const vdi_simd order[] = {VDI_SIMD_AVX512, VDI_SIMD_AVX2, VDI_SIMD_SSE2, VDI_SIMD_NEON};
#if VDI__HAVE_SSE2 || VDI__HAVE_AVX2 || VDI__HAVE_AVX512
    __builtin_cpu_init();
#endif
    for (size_t i = 0; i < VDI__COUNT(order); i++)
        if (vdi_simd_available(order[i])) return (int)order[i];
    return VDI_SIMD_SCALAR;
}

VDI__FN void vdi__simd_store(int index) {
#if VDI__GNU && !defined(__TINYC__)
    __atomic_store_n(&vdi__simd_index, index, __ATOMIC_RELAXED);
#else
    vdi__simd_index = index;
#endif
}

VDI__FN int vdi__simd_load(void) {
#if VDI__GNU && !defined(__TINYC__)
    int index = __atomic_load_n(&vdi__simd_index, __ATOMIC_RELAXED);
#else
    int index = vdi__simd_index;
#endif
    if (VDI__UNLIKELY(index == 0)) { /* every thread finds the same, so a race is harmless */
        index = vdi__simd_best();
        vdi__simd_store(index);
    }
    return index;
}

VDI__DEF vdi_simd vdi_simd_active(void) { return (vdi_simd)vdi__simd_load(); }

VDI__DEF vdi_status vdi_simd_set(vdi_simd simd) {
    (void)vdi__simd_load(); /* the processor must have been asked once before vdi_simd_available */
    if (!vdi_simd_available(simd)) return VDI_ERR_UNSUPPORTED;
    vdi__simd_store(simd == VDI_SIMD_AUTO ? vdi__simd_best() : (int)simd);
    return VDI_OK;
}
#endif

/* ======== kernel/simd_support.h, implementation ======== */
#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_SIMD_SUPPORT_C)
#define VDI_KERNEL_SIMD_SUPPORT_C

VDI__INLINE int32_t vdi__bits_of_f32(float x) {
    int32_t i;
    memcpy(&i, &x, sizeof i);
    return i;
}
VDI__INLINE float vdi__f32_of_bits(int32_t i) {
    float x;
    memcpy(&x, &i, sizeof x);
    return x;
}
VDI__INLINE int64_t vdi__bits_of_f64(double x) {
    int64_t i;
    memcpy(&i, &x, sizeof i);
    return i;
}
VDI__INLINE double vdi__f64_of_bits(int64_t i) {
    double x;
    memcpy(&x, &i, sizeof x);
    return x;
}

#define VDI__SUPPORT(target) VDI__UNUSED VDI__ALWAYS_INLINE target static inline

#if VDI__HAVE_SSE2
#define VDI__SSE2 VDI__SUPPORT(__attribute__((target("sse2"))))
VDI__SSE2 __m128 vdi__loadt_sse2_f32(const float *p, size_t n) {
    float t[4] = {0, 0, 0, 0};
    memcpy(t, p, n * sizeof *t);
    return _mm_loadu_ps(t);
}
VDI__SSE2 void vdi__storet_sse2_f32(float *p, size_t n, __m128 v) {
    float t[4];
    _mm_storeu_ps(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SSE2 __m128d vdi__loadt_sse2_f64(const double *p, size_t n) {
    double t[2] = {0, 0};
    memcpy(t, p, n * sizeof *t);
    return _mm_loadu_pd(t);
}
VDI__SSE2 void vdi__storet_sse2_f64(double *p, size_t n, __m128d v) {
    double t[2];
    _mm_storeu_pd(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SSE2 __m128i vdi__sar_sse2(__m128i a, int n) {
    __m128i sign = _mm_srai_epi32(_mm_shuffle_epi32(a, 0xF5), 31);
    return _mm_or_si128(_mm_srl_epi64(a, _mm_cvtsi32_si128(n)), _mm_sll_epi64(sign, _mm_cvtsi32_si128(64 - n)));
}
#undef VDI__SSE2
#endif

#if VDI__HAVE_AVX2
/* a window of these, 8 or 4 long, that starts n before the middle, is a mask of the first n lanes */
static const int32_t vdi__tail32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
static const int64_t vdi__tail64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
VDI__SUPPORT(__attribute__((target("avx2")))) __m256i vdi__sar_avx2(__m256i a, int n) {
    __m256i sign = _mm256_srai_epi32(_mm256_shuffle_epi32(a, 0xF5), 31);
    return _mm256_or_si256(_mm256_srl_epi64(a, _mm_cvtsi32_si128(n)), _mm256_sll_epi64(sign, _mm_cvtsi32_si128(64 - n)));
}
#endif

#if VDI__HAVE_NEON
VDI__SUPPORT() float32x4_t vdi__loadt_neon_f32(const float *p, size_t n) {
    float t[4] = {0, 0, 0, 0};
    memcpy(t, p, n * sizeof *t);
    return vld1q_f32(t);
}
VDI__SUPPORT() void vdi__storet_neon_f32(float *p, size_t n, float32x4_t v) {
    float t[4];
    vst1q_f32(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SUPPORT() float64x2_t vdi__loadt_neon_f64(const double *p, size_t n) {
    double t[2] = {0, 0};
    memcpy(t, p, n * sizeof *t);
    return vld1q_f64(t);
}
VDI__SUPPORT() void vdi__storet_neon_f64(double *p, size_t n, float64x2_t v) {
    double t[2];
    vst1q_f64(t, v);
    memcpy(p, t, n * sizeof *t);
}
/* NEON's own minimum spreads NaN; x86's returns the second operand, and that is what the word promises */
VDI__SUPPORT() float32x4_t vdi__min_neon_f32(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
VDI__SUPPORT() float32x4_t vdi__max_neon_f32(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
VDI__SUPPORT() float64x2_t vdi__min_neon_f64(float64x2_t a, float64x2_t b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
VDI__SUPPORT() float64x2_t vdi__max_neon_f64(float64x2_t a, float64x2_t b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
#endif
#endif

/* ======== kernel/table.h, implementation ======== */
#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_TABLE_C)
#define VDI_KERNEL_TABLE_C

#define VDI__PASS 1
#ifdef VDI__SINGLE_FILE
#define VDI__PASS_FILE VDI_SELF
#else
#define VDI__PASS_FILE "pass.h"
#endif
/* kernel/each.h - one pass per instruction set and real type
 *
 * Not for users. The includer defines VDI__PASS (which layer's bodies: 1 kernel, 2 linalg) and VDI__PASS_FILE (their list, as seen
 * from here); this file then includes that list once per pass. In the single file the list is the file itself.
 */
#ifndef VDI_SELF
#define VDI_SELF "vdi.h"
#endif
#define VDI__ISA 1
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#if VDI__HAVE_SSE2
#define VDI__ISA 2
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#endif
#if VDI__HAVE_AVX2
#define VDI__ISA 3
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#endif
#if VDI__HAVE_AVX512
#define VDI__ISA 4
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#endif
#if VDI__HAVE_NEON
#define VDI__ISA 5
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#endif
#undef VDI__PASS_FILE
#undef VDI__PASS

static const vdi__kernels *const vdi__kernel_tables[VDI_SIMD_COUNT][2] = {
    {NULL, NULL},
    {&vdi__kernels_scalar_f32, &vdi__kernels_scalar_f64},
#if VDI__HAVE_SSE2
    {&vdi__kernels_sse2_f32, &vdi__kernels_sse2_f64},
#else
    {NULL, NULL},
#endif
#if VDI__HAVE_AVX2
    {&vdi__kernels_avx2_f32, &vdi__kernels_avx2_f64},
#else
    {NULL, NULL},
#endif
#if VDI__HAVE_AVX512
    {&vdi__kernels_avx512_f32, &vdi__kernels_avx512_f64},
#else
    {NULL, NULL},
#endif
#if VDI__HAVE_NEON
    {&vdi__kernels_neon_f32, &vdi__kernels_neon_f64},
#else
    {NULL, NULL},
#endif
};

/* The kernels in use for a real dtype. */
VDI__INLINE const vdi__kernels *vdi__kernels_of(vdi_dtype dtype) {
    VDI_ASSERT(vdi_dtype_is_real(dtype));
    return vdi__kernel_tables[vdi__simd_load()][dtype == VDI_F64];
}

static const char *const vdi__kernel_names[] = {
#define VDI__X(name) #name,
    VDI__UNARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(name) #name "_grad",
    VDI__UNARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(name) #name,
    VDI__BINARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(name, result, args) #name,
    VDI__KERNELS(VDI__X)
#undef VDI__X
};

VDI__DEF size_t vdi_kernel_count(void) { return VDI__COUNT(vdi__kernel_names); }
VDI__DEF const char *vdi_kernel_name(size_t i) { return i < vdi_kernel_count() ? vdi__kernel_names[i] : NULL; }

/* Every row is made from the same bodies, so a kernel is there on each path; what is compared is whether its row holds the
   scalar row's own function. */
VDI__DEF const char *vdi_kernel_path(size_t i, vdi_simd simd, vdi_dtype dtype) {
    typedef void (*any_fn)(void);
    any_fn own, scalar;
    if (i >= vdi_kernel_count() || (unsigned)simd >= VDI_SIMD_COUNT || !vdi_dtype_is_real(dtype)) return "-";
    const vdi__kernels *row = vdi__kernel_tables[simd][dtype == VDI_F64];
    if (!row) return "-";
    memcpy(&own, (const char *)row + i * sizeof own, sizeof own);
    memcpy(&scalar, (const char *)vdi__kernel_tables[VDI_SIMD_SCALAR][dtype == VDI_F64] + i * sizeof scalar, sizeof scalar);
    return own == scalar ? "scalar" : vdi_simd_name(simd);
}
#endif

/* ======== linalg/table.h, implementation ======== */
#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_LINALG_TABLE_C)
#define VDI_LINALG_TABLE_C

#define VDI__PASS 2
#ifdef VDI__SINGLE_FILE
#define VDI__PASS_FILE VDI_SELF
#else
#define VDI__PASS_FILE "../linalg/pass.h"
#endif
/* kernel/each.h - one pass per instruction set and real type
 *
 * Not for users. The includer defines VDI__PASS (which layer's bodies: 1 kernel, 2 linalg) and VDI__PASS_FILE (their list, as seen
 * from here); this file then includes that list once per pass. In the single file the list is the file itself.
 */
#ifndef VDI_SELF
#define VDI_SELF "vdi.h"
#endif
#define VDI__ISA 1
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#if VDI__HAVE_SSE2
#define VDI__ISA 2
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#endif
#if VDI__HAVE_AVX2
#define VDI__ISA 3
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#endif
#if VDI__HAVE_AVX512
#define VDI__ISA 4
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#endif
#if VDI__HAVE_NEON
#define VDI__ISA 5
#define VDI__REAL 32
#include VDI__PASS_FILE
#undef VDI__REAL
#define VDI__REAL 64
#include VDI__PASS_FILE
#undef VDI__REAL
#undef VDI__ISA
#endif
#undef VDI__PASS_FILE
#undef VDI__PASS

static const vdi__linalg_kernels *const vdi__linalg_tables[VDI_SIMD_COUNT][2] = {
    {NULL, NULL},
    {&vdi__linalg_kernels_scalar_f32, &vdi__linalg_kernels_scalar_f64},
#if VDI__HAVE_SSE2
    {&vdi__linalg_kernels_sse2_f32, &vdi__linalg_kernels_sse2_f64},
#else
    {NULL, NULL},
#endif
#if VDI__HAVE_AVX2
    {&vdi__linalg_kernels_avx2_f32, &vdi__linalg_kernels_avx2_f64},
#else
    {NULL, NULL},
#endif
#if VDI__HAVE_AVX512
    {&vdi__linalg_kernels_avx512_f32, &vdi__linalg_kernels_avx512_f64},
#else
    {NULL, NULL},
#endif
#if VDI__HAVE_NEON
    {&vdi__linalg_kernels_neon_f32, &vdi__linalg_kernels_neon_f64},
#else
    {NULL, NULL},
#endif
};

VDI__INLINE const vdi__linalg_kernels *vdi__linalg_of(vdi_dtype dtype) {
    VDI_ASSERT(vdi_dtype_is_real(dtype));
    return vdi__linalg_tables[vdi__simd_load()][dtype == VDI_F64];
}
#endif
#undef VDI__BODIES
#endif /* VDI_CORE_IMPLEMENTATION */

#else /* VDI__PASS: the file includes itself for one pass of kernel bodies */

/* ======== kernel/simd.h ======== */
/* kernel/simd.h - the vector language of one pass
 *
 * Not for users. A kernel body is compiled once per pass, that is per instruction set (VDI__ISA) and real type (VDI__REAL 32
 * or 64). This header turns the two numbers into the words the bodies are written in; simd_end.h takes them away again, so
 * that none leaves the header. All words of one pass mean the same on every path:
 *
 *   VDI_T, VDI_IT         the real type, the signed integer of its size
 *   VDI_V, VDI_I, VDI_M   vector of VDI_W reals, of as many integers, and what a comparison yields
 *   VDI_PN(name)          name with the pass's suffix: name_avx2_f32
 *   VDI_KERNEL            before a kernel: static, with the pass's target attribute
 *   VDI_LOCAL             before a helper that is always inlined into kernels
 *   VDI_VLOAD(p) VDI_VSTORE(p,v) VDI_VSET1(x) VDI_VZERO()           no alignment asked
 *   VDI_TAIL, VDI_VTAIL(n), VDI_VLOADT(p,t) VDI_VSTORET(p,t,v)      the first n lanes, 0 <= n <= VDI_W; the others load as 0,
 *                                                                   nothing beyond them is touched
 *   VDI_VADD SUB MUL DIV SQRT ABS NEG                               as IEEE says
 *   VDI_VMIN(a,b) = a < b ? a : b, VDI_VMAX(a,b) = a > b ? a : b    (so a NaN in b, or in a only, gives b)
 *   VDI_VFMA(a,b,c) = a*b + c, VDI_VFNMA(a,b,c) = c - a*b           one rounding where VDI_FMA is 1, else two
 *   VDI_VLT LE GT GE EQ NE, VDI_MAND MOR MNOT, VDI_MANY(m)          comparisons (false on NaN; NE true), masks, "any lane?"
 *   VDI_VSEL(m,a,b)                                                 m ? a : b
 *   VDI_VAND OR XOR                                                 bits of reals
 *   VDI_VBITS(v) VDI_IBITS(i)                                       reinterpret real as integer and back
 *   VDI_ISET1 IADD ISUB IAND IOR IXOR ISHL(i,n) ISHR(i,n) ISAR(i,n) integer lanes; n is a constant
 *   VDI_MANT, VDI_EMAX    bits of the mantissa (23, 52), exponent bias (127, 1023)
 *   VDI_MAGIC             1.5 * 2^mantissa: x + MAGIC - MAGIC rounds to the nearest integer, and the low bits of x + MAGIC are it
 *
 * House rules for bodies: a product that feeds a sum is written with FMA (then no compiler can contract it another way); tails
 * use VDI_VTAIL, never a scalar remainder loop; pointers come in as void, since one table type serves both real types.
 */
#define VDI__CAT3_(a, b, c) a##b##c
#define VDI__CAT3(a, b, c) VDI__CAT3_(a, b, c)
#define VDI_PN(name) VDI__CAT3(name, VDI__ISA_SUFFIX, VDI__REAL_SUFFIX)

#if VDI__REAL == 32
#define VDI_T float
#define VDI_IT int32_t
#define VDI_UT uint32_t
#define VDI_MANT 23
#define VDI_EMAX 127
#define VDI_MAGIC 12582912.0f
#define VDI_DT VDI_F32
#define VDI__REAL_SUFFIX _f32
#else
#define VDI_T double
#define VDI_IT int64_t
#define VDI_UT uint64_t
#define VDI_MANT 52
#define VDI_EMAX 1023
#define VDI_MAGIC 6755399441055744.0
#define VDI_DT VDI_F64
#define VDI__REAL_SUFFIX _f64
#endif
/* A constant of the pass's type. */
#define VDI_C(x) ((VDI_T)(x))

#if VDI__ISA == 1
/* kernel/simd_scalar.h - the vector language with vectors of one: the reference that every other path is held against */
#define VDI__ISA_SUFFIX _scalar
#define VDI__TARGET
#define VDI_W 1
#define VDI_REGISTERS 16
#define VDI_V VDI_T
#define VDI_I VDI_IT
#define VDI_M bool
#define VDI_TAIL int
#define VDI_VTAIL(n) ((int)(n))
#define VDI_VLOAD(p) (*(p))
#define VDI_VSTORE(p, v) ((void)(*(p) = (v)))
#define VDI_VLOADT(p, t) ((t) ? *(p) : (VDI_T)0)
#define VDI_VSTORET(p, t, v) ((void)((t) && ((*(p) = (v)), true)))
#define VDI_VSET1(x) ((VDI_T)(x))
#define VDI_VZERO() ((VDI_T)0)
#define VDI_VADD(a, b) ((a) + (b))
#define VDI_VSUB(a, b) ((a) - (b))
#define VDI_VMUL(a, b) ((a) * (b))
#define VDI_VDIV(a, b) ((a) / (b))
#define VDI_VNEG(a) (-(a))
#define VDI_VMIN(a, b) ((a) < (b) ? (a) : (b))
#define VDI_VMAX(a, b) ((a) > (b) ? (a) : (b))
#if VDI__REAL == 32
#define VDI_VSQRT(a) sqrtf(a)
#define VDI_VABS(a) fabsf(a)
#define VDI_VBITS(v) vdi__bits_of_f32(v)
#define VDI_IBITS(i) vdi__f32_of_bits(i)
#ifdef __FP_FAST_FMAF
#define VDI_FMA 1
#define VDI_VFMA(a, b, c) fmaf(a, b, c)
#define VDI_VFNMA(a, b, c) fmaf(-(a), b, c)
#endif
#else
#define VDI_VSQRT(a) sqrt(a)
#define VDI_VABS(a) fabs(a)
#define VDI_VBITS(v) vdi__bits_of_f64(v)
#define VDI_IBITS(i) vdi__f64_of_bits(i)
#ifdef __FP_FAST_FMA
#define VDI_FMA 1
#define VDI_VFMA(a, b, c) fma(a, b, c)
#define VDI_VFNMA(a, b, c) fma(-(a), b, c)
#endif
#endif
#ifndef VDI_FMA
#define VDI_FMA 0
#define VDI_VFMA(a, b, c) ((a) * (b) + (c))
#define VDI_VFNMA(a, b, c) ((c) - (a) * (b))
#endif
#define VDI_VLT(a, b) ((a) < (b))
#define VDI_VLE(a, b) ((a) <= (b))
#define VDI_VGT(a, b) ((a) > (b))
#define VDI_VGE(a, b) ((a) >= (b))
#define VDI_VEQ(a, b) ((a) == (b))
#define VDI_VNE(a, b) ((a) != (b))
#define VDI_MAND(a, b) ((a) && (b))
#define VDI_MOR(a, b) ((a) || (b))
#define VDI_MNOT(a) (!(a))
#define VDI_MANY(m) (m)
#define VDI_VSEL(m, a, b) ((m) ? (a) : (b))
#define VDI_VAND(a, b) VDI_IBITS(VDI_VBITS(a) & VDI_VBITS(b))
#define VDI_VOR(a, b) VDI_IBITS(VDI_VBITS(a) | VDI_VBITS(b))
#define VDI_VXOR(a, b) VDI_IBITS(VDI_VBITS(a) ^ VDI_VBITS(b))
#define VDI_ISET1(x) ((VDI_IT)(x))
#define VDI_IADD(a, b) ((VDI_IT)((VDI_UT)(a) + (VDI_UT)(b)))
#define VDI_ISUB(a, b) ((VDI_IT)((VDI_UT)(a) - (VDI_UT)(b)))
#define VDI_IAND(a, b) ((a) & (b))
#define VDI_IOR(a, b) ((a) | (b))
#define VDI_IXOR(a, b) ((a) ^ (b))
#define VDI_ISHL(a, n) ((VDI_IT)((VDI_UT)(a) << (n)))
#define VDI_ISHR(a, n) ((VDI_IT)((VDI_UT)(a) >> (n)))
#define VDI_ISAR(a, n) ((a) >> (n))
#elif VDI__ISA == 2
/* kernel/simd_sse2.h - the vector language on SSE2: 4 floats or 2 doubles, no fused multiply-add, no masked memory access */
#define VDI__ISA_SUFFIX _sse2
#define VDI__TARGET __attribute__((target("sse2")))
#define VDI_REGISTERS 16
#define VDI_FMA 0
#define VDI_TAIL size_t
#define VDI_VTAIL(n) ((size_t)(n))
#define VDI_I __m128i
#define VDI_IAND(a, b) _mm_and_si128(a, b)
#define VDI_IOR(a, b) _mm_or_si128(a, b)
#define VDI_IXOR(a, b) _mm_xor_si128(a, b)
#define VDI_VFMA(a, b, c) VDI_VADD(VDI_VMUL(a, b), c)
#define VDI_VFNMA(a, b, c) VDI_VSUB(c, VDI_VMUL(a, b))
#if VDI__REAL == 32
#define VDI_W 4
#define VDI_V __m128
#define VDI_M __m128
#define VDI_VLOAD(p) _mm_loadu_ps(p)
#define VDI_VSTORE(p, v) _mm_storeu_ps(p, v)
#define VDI_VLOADT(p, t) vdi__loadt_sse2_f32(p, t)
#define VDI_VSTORET(p, t, v) vdi__storet_sse2_f32(p, t, v)
#define VDI_VSET1(x) _mm_set1_ps(x)
#define VDI_VZERO() _mm_setzero_ps()
#define VDI_VADD(a, b) _mm_add_ps(a, b)
#define VDI_VSUB(a, b) _mm_sub_ps(a, b)
#define VDI_VMUL(a, b) _mm_mul_ps(a, b)
#define VDI_VDIV(a, b) _mm_div_ps(a, b)
#define VDI_VSQRT(a) _mm_sqrt_ps(a)
#define VDI_VABS(a) _mm_andnot_ps(_mm_set1_ps(-0.0f), a)
#define VDI_VNEG(a) _mm_xor_ps(_mm_set1_ps(-0.0f), a)
#define VDI_VMIN(a, b) _mm_min_ps(a, b)
#define VDI_VMAX(a, b) _mm_max_ps(a, b)
#define VDI_VLT(a, b) _mm_cmplt_ps(a, b)
#define VDI_VLE(a, b) _mm_cmple_ps(a, b)
#define VDI_VGT(a, b) _mm_cmpgt_ps(a, b)
#define VDI_VGE(a, b) _mm_cmpge_ps(a, b)
#define VDI_VEQ(a, b) _mm_cmpeq_ps(a, b)
#define VDI_VNE(a, b) _mm_cmpneq_ps(a, b)
#define VDI_MAND(a, b) _mm_and_ps(a, b)
#define VDI_MOR(a, b) _mm_or_ps(a, b)
#define VDI_MNOT(a) _mm_xor_ps(a, _mm_castsi128_ps(_mm_set1_epi32(-1)))
#define VDI_MANY(m) (_mm_movemask_ps(m) != 0)
#define VDI_VSEL(m, a, b) _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b))
#define VDI_VAND(a, b) _mm_and_ps(a, b)
#define VDI_VOR(a, b) _mm_or_ps(a, b)
#define VDI_VXOR(a, b) _mm_xor_ps(a, b)
#define VDI_VBITS(v) _mm_castps_si128(v)
#define VDI_IBITS(i) _mm_castsi128_ps(i)
#define VDI_ISET1(x) _mm_set1_epi32(x)
#define VDI_IADD(a, b) _mm_add_epi32(a, b)
#define VDI_ISUB(a, b) _mm_sub_epi32(a, b)
#define VDI_ISHL(a, n) _mm_slli_epi32(a, n)
#define VDI_ISHR(a, n) _mm_srli_epi32(a, n)
#define VDI_ISAR(a, n) _mm_srai_epi32(a, n)
#else
#define VDI_W 2
#define VDI_V __m128d
#define VDI_M __m128d
#define VDI_VLOAD(p) _mm_loadu_pd(p)
#define VDI_VSTORE(p, v) _mm_storeu_pd(p, v)
#define VDI_VLOADT(p, t) vdi__loadt_sse2_f64(p, t)
#define VDI_VSTORET(p, t, v) vdi__storet_sse2_f64(p, t, v)
#define VDI_VSET1(x) _mm_set1_pd(x)
#define VDI_VZERO() _mm_setzero_pd()
#define VDI_VADD(a, b) _mm_add_pd(a, b)
#define VDI_VSUB(a, b) _mm_sub_pd(a, b)
#define VDI_VMUL(a, b) _mm_mul_pd(a, b)
#define VDI_VDIV(a, b) _mm_div_pd(a, b)
#define VDI_VSQRT(a) _mm_sqrt_pd(a)
#define VDI_VABS(a) _mm_andnot_pd(_mm_set1_pd(-0.0), a)
#define VDI_VNEG(a) _mm_xor_pd(_mm_set1_pd(-0.0), a)
#define VDI_VMIN(a, b) _mm_min_pd(a, b)
#define VDI_VMAX(a, b) _mm_max_pd(a, b)
#define VDI_VLT(a, b) _mm_cmplt_pd(a, b)
#define VDI_VLE(a, b) _mm_cmple_pd(a, b)
#define VDI_VGT(a, b) _mm_cmpgt_pd(a, b)
#define VDI_VGE(a, b) _mm_cmpge_pd(a, b)
#define VDI_VEQ(a, b) _mm_cmpeq_pd(a, b)
#define VDI_VNE(a, b) _mm_cmpneq_pd(a, b)
#define VDI_MAND(a, b) _mm_and_pd(a, b)
#define VDI_MOR(a, b) _mm_or_pd(a, b)
#define VDI_MNOT(a) _mm_xor_pd(a, _mm_castsi128_pd(_mm_set1_epi32(-1)))
#define VDI_MANY(m) (_mm_movemask_pd(m) != 0)
#define VDI_VSEL(m, a, b) _mm_or_pd(_mm_and_pd(m, a), _mm_andnot_pd(m, b))
#define VDI_VAND(a, b) _mm_and_pd(a, b)
#define VDI_VOR(a, b) _mm_or_pd(a, b)
#define VDI_VXOR(a, b) _mm_xor_pd(a, b)
#define VDI_VBITS(v) _mm_castpd_si128(v)
#define VDI_IBITS(i) _mm_castsi128_pd(i)
#define VDI_ISET1(x) _mm_set1_epi64x(x)
#define VDI_IADD(a, b) _mm_add_epi64(a, b)
#define VDI_ISUB(a, b) _mm_sub_epi64(a, b)
#define VDI_ISHL(a, n) _mm_slli_epi64(a, n)
#define VDI_ISHR(a, n) _mm_srli_epi64(a, n)
/* no 64-bit arithmetic shift before AVX-512: shift, then fill in the sign */
#define VDI_ISAR(a, n) vdi__sar_sse2(a, n)
#endif
#elif VDI__ISA == 3
/* kernel/simd_avx2.h - the vector language on AVX2 with FMA: 8 floats or 4 doubles */
#define VDI__ISA_SUFFIX _avx2
#define VDI__TARGET __attribute__((target("avx2,fma")))
#define VDI_REGISTERS 16
#define VDI_FMA 1
#define VDI_TAIL __m256i
#define VDI_I __m256i
#define VDI_IAND(a, b) _mm256_and_si256(a, b)
#define VDI_IOR(a, b) _mm256_or_si256(a, b)
#define VDI_IXOR(a, b) _mm256_xor_si256(a, b)
#if VDI__REAL == 32
#define VDI_W 8
#define VDI_V __m256
#define VDI_M __m256
#define VDI_VTAIL(n) _mm256_loadu_si256((const __m256i *)(const void *)(vdi__tail32 + 8 - (n)))
#define VDI_VLOAD(p) _mm256_loadu_ps(p)
#define VDI_VSTORE(p, v) _mm256_storeu_ps(p, v)
#define VDI_VLOADT(p, t) _mm256_maskload_ps(p, t)
#define VDI_VSTORET(p, t, v) _mm256_maskstore_ps(p, t, v)
#define VDI_VSET1(x) _mm256_set1_ps(x)
#define VDI_VZERO() _mm256_setzero_ps()
#define VDI_VADD(a, b) _mm256_add_ps(a, b)
#define VDI_VSUB(a, b) _mm256_sub_ps(a, b)
#define VDI_VMUL(a, b) _mm256_mul_ps(a, b)
#define VDI_VDIV(a, b) _mm256_div_ps(a, b)
#define VDI_VSQRT(a) _mm256_sqrt_ps(a)
#define VDI_VABS(a) _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a)
#define VDI_VNEG(a) _mm256_xor_ps(_mm256_set1_ps(-0.0f), a)
#define VDI_VMIN(a, b) _mm256_min_ps(a, b)
#define VDI_VMAX(a, b) _mm256_max_ps(a, b)
#define VDI_VFMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define VDI_VFNMA(a, b, c) _mm256_fnmadd_ps(a, b, c)
#define VDI_VLT(a, b) _mm256_cmp_ps(a, b, _CMP_LT_OQ)
#define VDI_VLE(a, b) _mm256_cmp_ps(a, b, _CMP_LE_OQ)
#define VDI_VGT(a, b) _mm256_cmp_ps(a, b, _CMP_GT_OQ)
#define VDI_VGE(a, b) _mm256_cmp_ps(a, b, _CMP_GE_OQ)
#define VDI_VEQ(a, b) _mm256_cmp_ps(a, b, _CMP_EQ_OQ)
#define VDI_VNE(a, b) _mm256_cmp_ps(a, b, _CMP_NEQ_UQ)
#define VDI_MAND(a, b) _mm256_and_ps(a, b)
#define VDI_MOR(a, b) _mm256_or_ps(a, b)
#define VDI_MNOT(a) _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))
#define VDI_MANY(m) (_mm256_movemask_ps(m) != 0)
#define VDI_VSEL(m, a, b) _mm256_blendv_ps(b, a, m)
#define VDI_VAND(a, b) _mm256_and_ps(a, b)
#define VDI_VOR(a, b) _mm256_or_ps(a, b)
#define VDI_VXOR(a, b) _mm256_xor_ps(a, b)
#define VDI_VBITS(v) _mm256_castps_si256(v)
#define VDI_IBITS(i) _mm256_castsi256_ps(i)
#define VDI_ISET1(x) _mm256_set1_epi32(x)
#define VDI_IADD(a, b) _mm256_add_epi32(a, b)
#define VDI_ISUB(a, b) _mm256_sub_epi32(a, b)
#define VDI_ISHL(a, n) _mm256_slli_epi32(a, n)
#define VDI_ISHR(a, n) _mm256_srli_epi32(a, n)
#define VDI_ISAR(a, n) _mm256_srai_epi32(a, n)
#else
#define VDI_W 4
#define VDI_V __m256d
#define VDI_M __m256d
#define VDI_VTAIL(n) _mm256_loadu_si256((const __m256i *)(const void *)(vdi__tail64 + 4 - (n)))
#define VDI_VLOAD(p) _mm256_loadu_pd(p)
#define VDI_VSTORE(p, v) _mm256_storeu_pd(p, v)
#define VDI_VLOADT(p, t) _mm256_maskload_pd(p, t)
#define VDI_VSTORET(p, t, v) _mm256_maskstore_pd(p, t, v)
#define VDI_VSET1(x) _mm256_set1_pd(x)
#define VDI_VZERO() _mm256_setzero_pd()
#define VDI_VADD(a, b) _mm256_add_pd(a, b)
#define VDI_VSUB(a, b) _mm256_sub_pd(a, b)
#define VDI_VMUL(a, b) _mm256_mul_pd(a, b)
#define VDI_VDIV(a, b) _mm256_div_pd(a, b)
#define VDI_VSQRT(a) _mm256_sqrt_pd(a)
#define VDI_VABS(a) _mm256_andnot_pd(_mm256_set1_pd(-0.0), a)
#define VDI_VNEG(a) _mm256_xor_pd(_mm256_set1_pd(-0.0), a)
#define VDI_VMIN(a, b) _mm256_min_pd(a, b)
#define VDI_VMAX(a, b) _mm256_max_pd(a, b)
#define VDI_VFMA(a, b, c) _mm256_fmadd_pd(a, b, c)
#define VDI_VFNMA(a, b, c) _mm256_fnmadd_pd(a, b, c)
#define VDI_VLT(a, b) _mm256_cmp_pd(a, b, _CMP_LT_OQ)
#define VDI_VLE(a, b) _mm256_cmp_pd(a, b, _CMP_LE_OQ)
#define VDI_VGT(a, b) _mm256_cmp_pd(a, b, _CMP_GT_OQ)
#define VDI_VGE(a, b) _mm256_cmp_pd(a, b, _CMP_GE_OQ)
#define VDI_VEQ(a, b) _mm256_cmp_pd(a, b, _CMP_EQ_OQ)
#define VDI_VNE(a, b) _mm256_cmp_pd(a, b, _CMP_NEQ_UQ)
#define VDI_MAND(a, b) _mm256_and_pd(a, b)
#define VDI_MOR(a, b) _mm256_or_pd(a, b)
#define VDI_MNOT(a) _mm256_xor_pd(a, _mm256_castsi256_pd(_mm256_set1_epi32(-1)))
#define VDI_MANY(m) (_mm256_movemask_pd(m) != 0)
#define VDI_VSEL(m, a, b) _mm256_blendv_pd(b, a, m)
#define VDI_VAND(a, b) _mm256_and_pd(a, b)
#define VDI_VOR(a, b) _mm256_or_pd(a, b)
#define VDI_VXOR(a, b) _mm256_xor_pd(a, b)
#define VDI_VBITS(v) _mm256_castpd_si256(v)
#define VDI_IBITS(i) _mm256_castsi256_pd(i)
#define VDI_ISET1(x) _mm256_set1_epi64x(x)
#define VDI_IADD(a, b) _mm256_add_epi64(a, b)
#define VDI_ISUB(a, b) _mm256_sub_epi64(a, b)
#define VDI_ISHL(a, n) _mm256_slli_epi64(a, n)
#define VDI_ISHR(a, n) _mm256_srli_epi64(a, n)
#define VDI_ISAR(a, n) vdi__sar_avx2(a, n)
#endif
#elif VDI__ISA == 4
/* kernel/simd_avx512.h - the vector language on AVX-512 (F, DQ, BW, VL): 16 floats or 8 doubles, masks in registers of their own */
#define VDI__ISA_SUFFIX _avx512
#define VDI__TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#define VDI_REGISTERS 32
#define VDI_FMA 1
#define VDI_I __m512i
#define VDI_IAND(a, b) _mm512_and_si512(a, b)
#define VDI_IOR(a, b) _mm512_or_si512(a, b)
#define VDI_IXOR(a, b) _mm512_xor_si512(a, b)
#if VDI__REAL == 32
#define VDI_W 16
#define VDI_V __m512
#define VDI_M __mmask16
#define VDI_TAIL __mmask16
#define VDI_VTAIL(n) ((__mmask16)((1u << (n)) - 1u))
#define VDI_VLOAD(p) _mm512_loadu_ps(p)
#define VDI_VSTORE(p, v) _mm512_storeu_ps(p, v)
#define VDI_VLOADT(p, t) _mm512_maskz_loadu_ps(t, p)
#define VDI_VSTORET(p, t, v) _mm512_mask_storeu_ps(p, t, v)
#define VDI_VSET1(x) _mm512_set1_ps(x)
#define VDI_VZERO() _mm512_setzero_ps()
#define VDI_VADD(a, b) _mm512_add_ps(a, b)
#define VDI_VSUB(a, b) _mm512_sub_ps(a, b)
#define VDI_VMUL(a, b) _mm512_mul_ps(a, b)
#define VDI_VDIV(a, b) _mm512_div_ps(a, b)
#define VDI_VSQRT(a) _mm512_sqrt_ps(a)
#define VDI_VABS(a) _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a)
#define VDI_VNEG(a) _mm512_xor_ps(_mm512_set1_ps(-0.0f), a)
#define VDI_VMIN(a, b) _mm512_min_ps(a, b)
#define VDI_VMAX(a, b) _mm512_max_ps(a, b)
#define VDI_VFMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define VDI_VFNMA(a, b, c) _mm512_fnmadd_ps(a, b, c)
#define VDI_VLT(a, b) _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ)
#define VDI_VLE(a, b) _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ)
#define VDI_VGT(a, b) _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)
#define VDI_VGE(a, b) _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ)
#define VDI_VEQ(a, b) _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ)
#define VDI_VNE(a, b) _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ)
#define VDI_MAND(a, b) ((__mmask16)((a) & (b)))
#define VDI_MOR(a, b) ((__mmask16)((a) | (b)))
#define VDI_MNOT(a) ((__mmask16)(~(unsigned)(a)))
#define VDI_MANY(m) ((m) != 0)
#define VDI_VSEL(m, a, b) _mm512_mask_blend_ps(m, b, a)
#define VDI_VAND(a, b) _mm512_and_ps(a, b)
#define VDI_VOR(a, b) _mm512_or_ps(a, b)
#define VDI_VXOR(a, b) _mm512_xor_ps(a, b)
#define VDI_VBITS(v) _mm512_castps_si512(v)
#define VDI_IBITS(i) _mm512_castsi512_ps(i)
#define VDI_ISET1(x) _mm512_set1_epi32(x)
#define VDI_IADD(a, b) _mm512_add_epi32(a, b)
#define VDI_ISUB(a, b) _mm512_sub_epi32(a, b)
#define VDI_ISHL(a, n) _mm512_slli_epi32(a, n)
#define VDI_ISHR(a, n) _mm512_srli_epi32(a, n)
#define VDI_ISAR(a, n) _mm512_srai_epi32(a, n)
#else
#define VDI_W 8
#define VDI_V __m512d
#define VDI_M __mmask8
#define VDI_TAIL __mmask8
#define VDI_VTAIL(n) ((__mmask8)((1u << (n)) - 1u))
#define VDI_VLOAD(p) _mm512_loadu_pd(p)
#define VDI_VSTORE(p, v) _mm512_storeu_pd(p, v)
#define VDI_VLOADT(p, t) _mm512_maskz_loadu_pd(t, p)
#define VDI_VSTORET(p, t, v) _mm512_mask_storeu_pd(p, t, v)
#define VDI_VSET1(x) _mm512_set1_pd(x)
#define VDI_VZERO() _mm512_setzero_pd()
#define VDI_VADD(a, b) _mm512_add_pd(a, b)
#define VDI_VSUB(a, b) _mm512_sub_pd(a, b)
#define VDI_VMUL(a, b) _mm512_mul_pd(a, b)
#define VDI_VDIV(a, b) _mm512_div_pd(a, b)
#define VDI_VSQRT(a) _mm512_sqrt_pd(a)
#define VDI_VABS(a) _mm512_andnot_pd(_mm512_set1_pd(-0.0), a)
#define VDI_VNEG(a) _mm512_xor_pd(_mm512_set1_pd(-0.0), a)
#define VDI_VMIN(a, b) _mm512_min_pd(a, b)
#define VDI_VMAX(a, b) _mm512_max_pd(a, b)
#define VDI_VFMA(a, b, c) _mm512_fmadd_pd(a, b, c)
#define VDI_VFNMA(a, b, c) _mm512_fnmadd_pd(a, b, c)
#define VDI_VLT(a, b) _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ)
#define VDI_VLE(a, b) _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ)
#define VDI_VGT(a, b) _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ)
#define VDI_VGE(a, b) _mm512_cmp_pd_mask(a, b, _CMP_GE_OQ)
#define VDI_VEQ(a, b) _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ)
#define VDI_VNE(a, b) _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ)
#define VDI_MAND(a, b) ((__mmask8)((a) & (b)))
#define VDI_MOR(a, b) ((__mmask8)((a) | (b)))
#define VDI_MNOT(a) ((__mmask8)(~(unsigned)(a)))
#define VDI_MANY(m) ((m) != 0)
#define VDI_VSEL(m, a, b) _mm512_mask_blend_pd(m, b, a)
#define VDI_VAND(a, b) _mm512_and_pd(a, b)
#define VDI_VOR(a, b) _mm512_or_pd(a, b)
#define VDI_VXOR(a, b) _mm512_xor_pd(a, b)
#define VDI_VBITS(v) _mm512_castpd_si512(v)
#define VDI_IBITS(i) _mm512_castsi512_pd(i)
#define VDI_ISET1(x) _mm512_set1_epi64(x)
#define VDI_IADD(a, b) _mm512_add_epi64(a, b)
#define VDI_ISUB(a, b) _mm512_sub_epi64(a, b)
#define VDI_ISHL(a, n) _mm512_slli_epi64(a, n)
#define VDI_ISHR(a, n) _mm512_srli_epi64(a, n)
#define VDI_ISAR(a, n) _mm512_srai_epi64(a, n)
#endif
#else
/* kernel/simd_neon.h - the vector language on aarch64 NEON: 4 floats or 2 doubles, fused multiply-add, no masked memory access */
#define VDI__ISA_SUFFIX _neon
#define VDI__TARGET
#define VDI_REGISTERS 32
#define VDI_FMA 1
#define VDI_TAIL size_t
#define VDI_VTAIL(n) ((size_t)(n))
#if VDI__REAL == 32
#define VDI_W 4
#define VDI_V float32x4_t
#define VDI_I int32x4_t
#define VDI_M uint32x4_t
#define VDI_VLOAD(p) vld1q_f32(p)
#define VDI_VSTORE(p, v) vst1q_f32(p, v)
#define VDI_VLOADT(p, t) vdi__loadt_neon_f32(p, t)
#define VDI_VSTORET(p, t, v) vdi__storet_neon_f32(p, t, v)
#define VDI_VSET1(x) vdupq_n_f32(x)
#define VDI_VZERO() vdupq_n_f32(0)
#define VDI_VADD(a, b) vaddq_f32(a, b)
#define VDI_VSUB(a, b) vsubq_f32(a, b)
#define VDI_VMUL(a, b) vmulq_f32(a, b)
#define VDI_VDIV(a, b) vdivq_f32(a, b)
#define VDI_VSQRT(a) vsqrtq_f32(a)
#define VDI_VABS(a) vabsq_f32(a)
#define VDI_VNEG(a) vnegq_f32(a)
#define VDI_VMIN(a, b) vdi__min_neon_f32(a, b)
#define VDI_VMAX(a, b) vdi__max_neon_f32(a, b)
#define VDI_VFMA(a, b, c) vfmaq_f32(c, a, b)
#define VDI_VFNMA(a, b, c) vfmsq_f32(c, a, b)
#define VDI_VLT(a, b) vcltq_f32(a, b)
#define VDI_VLE(a, b) vcleq_f32(a, b)
#define VDI_VGT(a, b) vcgtq_f32(a, b)
#define VDI_VGE(a, b) vcgeq_f32(a, b)
#define VDI_VEQ(a, b) vceqq_f32(a, b)
#define VDI_VNE(a, b) vmvnq_u32(vceqq_f32(a, b))
#define VDI_MAND(a, b) vandq_u32(a, b)
#define VDI_MOR(a, b) vorrq_u32(a, b)
#define VDI_MNOT(a) vmvnq_u32(a)
#define VDI_MANY(m) (vmaxvq_u32(m) != 0)
#define VDI_VSEL(m, a, b) vbslq_f32(m, a, b)
#define VDI_VBITS(v) vreinterpretq_s32_f32(v)
#define VDI_IBITS(i) vreinterpretq_f32_s32(i)
#define VDI_ISET1(x) vdupq_n_s32(x)
#define VDI_IADD(a, b) vaddq_s32(a, b)
#define VDI_ISUB(a, b) vsubq_s32(a, b)
#define VDI_IAND(a, b) vandq_s32(a, b)
#define VDI_IOR(a, b) vorrq_s32(a, b)
#define VDI_IXOR(a, b) veorq_s32(a, b)
#define VDI_ISHL(a, n) vshlq_n_s32(a, n)
#define VDI_ISHR(a, n) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), n))
#define VDI_ISAR(a, n) vshrq_n_s32(a, n)
#else
#define VDI_W 2
#define VDI_V float64x2_t
#define VDI_I int64x2_t
#define VDI_M uint64x2_t
#define VDI_VLOAD(p) vld1q_f64(p)
#define VDI_VSTORE(p, v) vst1q_f64(p, v)
#define VDI_VLOADT(p, t) vdi__loadt_neon_f64(p, t)
#define VDI_VSTORET(p, t, v) vdi__storet_neon_f64(p, t, v)
#define VDI_VSET1(x) vdupq_n_f64(x)
#define VDI_VZERO() vdupq_n_f64(0)
#define VDI_VADD(a, b) vaddq_f64(a, b)
#define VDI_VSUB(a, b) vsubq_f64(a, b)
#define VDI_VMUL(a, b) vmulq_f64(a, b)
#define VDI_VDIV(a, b) vdivq_f64(a, b)
#define VDI_VSQRT(a) vsqrtq_f64(a)
#define VDI_VABS(a) vabsq_f64(a)
#define VDI_VNEG(a) vnegq_f64(a)
#define VDI_VMIN(a, b) vdi__min_neon_f64(a, b)
#define VDI_VMAX(a, b) vdi__max_neon_f64(a, b)
#define VDI_VFMA(a, b, c) vfmaq_f64(c, a, b)
#define VDI_VFNMA(a, b, c) vfmsq_f64(c, a, b)
#define VDI_VLT(a, b) vcltq_f64(a, b)
#define VDI_VLE(a, b) vcleq_f64(a, b)
#define VDI_VGT(a, b) vcgtq_f64(a, b)
#define VDI_VGE(a, b) vcgeq_f64(a, b)
#define VDI_VEQ(a, b) vceqq_f64(a, b)
#define VDI_VNE(a, b) vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(vceqq_f64(a, b))))
#define VDI_MAND(a, b) vandq_u64(a, b)
#define VDI_MOR(a, b) vorrq_u64(a, b)
#define VDI_MNOT(a) vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(a)))
#define VDI_MANY(m) (vmaxvq_u32(vreinterpretq_u32_u64(m)) != 0)
#define VDI_VSEL(m, a, b) vbslq_f64(m, a, b)
#define VDI_VBITS(v) vreinterpretq_s64_f64(v)
#define VDI_IBITS(i) vreinterpretq_f64_s64(i)
#define VDI_ISET1(x) vdupq_n_s64(x)
#define VDI_IADD(a, b) vaddq_s64(a, b)
#define VDI_ISUB(a, b) vsubq_s64(a, b)
#define VDI_IAND(a, b) vandq_s64(a, b)
#define VDI_IOR(a, b) vorrq_s64(a, b)
#define VDI_IXOR(a, b) veorq_s64(a, b)
#define VDI_ISHL(a, n) vshlq_n_s64(a, n)
#define VDI_ISHR(a, n) vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_s64(a), n))
#define VDI_ISAR(a, n) vshrq_n_s64(a, n)
#endif
#define VDI_VAND(a, b) VDI_IBITS(VDI_IAND(VDI_VBITS(a), VDI_VBITS(b)))
#define VDI_VOR(a, b) VDI_IBITS(VDI_IOR(VDI_VBITS(a), VDI_VBITS(b)))
#define VDI_VXOR(a, b) VDI_IBITS(VDI_IXOR(VDI_VBITS(a), VDI_VBITS(b)))
#endif

#define VDI_KERNEL VDI__UNUSED VDI__TARGET static
#define VDI_LOCAL VDI__UNUSED VDI__ALWAYS_INLINE VDI__TARGET static inline
#if VDI__PASS == 1

/* ======== kernel bodies ======== */
/* kernel/pass.h - the kernel bodies, in the order of one pass; no guard: included once per pass */
/* kernel/elementwise_body.h */
#define VDI__X(name) \
    VDI_KERNEL void VDI_PN(vdi__unary_##name)(size_t n, double p, const void *x, void *y) { (void)n; (void)p; (void)x; (void)y; } \
    VDI_KERNEL void VDI_PN(vdi__unary_grad_##name)(size_t n, double p, const void *x, const void *y, const void *dy, void *dx) { (void)n; (void)p; (void)x; (void)y; (void)dy; (void)dx; }
VDI__UNARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(name) \
    VDI_KERNEL void VDI_PN(vdi__binary_##name)(size_t n, const void *a, int a_step, const void *b, int b_step, void *y) { (void)n; (void)a; (void)a_step; (void)b; (void)b_step; (void)y; }
VDI__BINARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(name, result, args) VDI_KERNEL result VDI_PN(vdi__kernel_##name) args { __builtin_trap(); }
VDI__KERNELS_ELEMENTWISE(VDI__X)
#undef VDI__X
/* kernel/reduce_body.h */
#define VDI__X(name, result, args) VDI_KERNEL result VDI_PN(vdi__kernel_##name) args { __builtin_trap(); }
VDI__KERNELS_REDUCE(VDI__X)
#undef VDI__X
/* kernel/gemm_body.h */
#define VDI__X(name, result, args) VDI_KERNEL result VDI_PN(vdi__kernel_##name) args { __builtin_trap(); }
VDI__KERNELS_GEMM(VDI__X)
#undef VDI__X
/* kernel/rnn_body.h */
#define VDI__X(name, result, args) VDI_KERNEL result VDI_PN(vdi__kernel_##name) args { __builtin_trap(); }
VDI__KERNELS_RNN(VDI__X)
#undef VDI__X
/* kernel/optim_body.h */
#define VDI__X(name, result, args) VDI_KERNEL result VDI_PN(vdi__kernel_##name) args { __builtin_trap(); }
VDI__KERNELS_OPTIM(VDI__X)
#undef VDI__X

static const vdi__kernels VDI_PN(vdi__kernels) = {
    {
#define VDI__X(name) VDI_PN(vdi__unary_##name),
        VDI__UNARY_LIST(VDI__X)
#undef VDI__X
    },
    {
#define VDI__X(name) VDI_PN(vdi__unary_grad_##name),
        VDI__UNARY_LIST(VDI__X)
#undef VDI__X
    },
    {
#define VDI__X(name) VDI_PN(vdi__binary_##name),
        VDI__BINARY_LIST(VDI__X)
#undef VDI__X
    },
#define VDI__X(name, result, args) VDI_PN(vdi__kernel_##name),
    VDI__KERNELS(VDI__X)
#undef VDI__X
};
#elif VDI__PASS == 2

/* ======== linalg bodies ======== */
/* linalg/pass.h - the bodies of linalg, in the order of one pass; no guard: included once per pass */
VDI_KERNEL int VDI_PN(vdi__linalg_placeholder_dense)(int x) { return x; }
VDI_KERNEL int VDI_PN(vdi__linalg_placeholder_blocktri)(int x) { return x; }

static const vdi__linalg_kernels VDI_PN(vdi__linalg_kernels) = {
#define VDI__X(name, result, args) VDI_PN(vdi__linalg_##name),
    VDI__LINALG_KERNELS(VDI__X)
#undef VDI__X
};
#endif
/* kernel/simd_end.h - takes away the words of simd.h at the end of a pass */
#undef VDI__CAT3_
#undef VDI__CAT3
#undef VDI_PN
#undef VDI_T
#undef VDI_IT
#undef VDI_UT
#undef VDI_MANT
#undef VDI_EMAX
#undef VDI_MAGIC
#undef VDI_DT
#undef VDI__REAL_SUFFIX
#undef VDI__ISA_SUFFIX
#undef VDI__TARGET
#undef VDI_C
#undef VDI_KERNEL
#undef VDI_LOCAL
#undef VDI_V
#undef VDI_I
#undef VDI_M
#undef VDI_W
#undef VDI_FMA
#undef VDI_REGISTERS
#undef VDI_TAIL
#undef VDI_VTAIL
#undef VDI_VLOAD
#undef VDI_VSTORE
#undef VDI_VLOADT
#undef VDI_VSTORET
#undef VDI_VSET1
#undef VDI_VZERO
#undef VDI_VADD
#undef VDI_VSUB
#undef VDI_VMUL
#undef VDI_VDIV
#undef VDI_VSQRT
#undef VDI_VABS
#undef VDI_VNEG
#undef VDI_VMIN
#undef VDI_VMAX
#undef VDI_VFMA
#undef VDI_VFNMA
#undef VDI_VLT
#undef VDI_VLE
#undef VDI_VGT
#undef VDI_VGE
#undef VDI_VEQ
#undef VDI_VNE
#undef VDI_MAND
#undef VDI_MOR
#undef VDI_MNOT
#undef VDI_MANY
#undef VDI_VSEL
#undef VDI_VAND
#undef VDI_VOR
#undef VDI_VXOR
#undef VDI_VBITS
#undef VDI_IBITS
#undef VDI_ISET1
#undef VDI_IADD
#undef VDI_ISUB
#undef VDI_IAND
#undef VDI_IOR
#undef VDI_IXOR
#undef VDI_ISHL
#undef VDI_ISHR
#undef VDI_ISAR
#endif /* VDI__PASS */
