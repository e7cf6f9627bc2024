/* grad/tape.h - reverse-mode differentiation: write the mathematics, get the gradient
 *
 * Do this:
 *     vdi_tape_desc desc = vdi_tape_desc_defaults();
 *     vdi_tape *t;
 *     if (vdi_tape_create(&desc, &t, &err) < 0) puts(err.message);
 *     for (int step = 0; step < 1000; step++) {
 *         vdi_tape_reset(t);                                                  keeps the memory
 *         vdi_var x = vdi_tape_constant(t, inputs), y = vdi_tape_constant(t, targets);
 *         vdi_var w = vdi_tape_param(t, &params->item[0]), b = vdi_tape_param(t, &params->item[1]);
 *         vdi_var h = vdi_var_affine(t, x, w, b, VDI_ACT_TANH, 0);
 *         vdi_var loss = vdi_var_mean(t, vdi_var_square(t, vdi_var_sub(t, h, y)));
 *         if (vdi_tape_backward(t, loss) < 0) {
 *             vdi_tape_status(t, &err);
 *             puts(err.message);
 *             break;
 *         }
 *         vdi_optim_step(optim, &err);
 *     }
 *     vdi_tape_destroy(t);
 *
 * Define-by-run: each operation computes its value at once and remembers its inputs; backward walks
 * them in reverse. A vdi_var is a handle of two words, valid until the next reset. Values are
 * packed, row-major, F32 or F64 (one graph may hold both: vdi_var_cast).
 *
 * Errors: operations return the null variable on failure, and so does every operation after it; the
 * first error stays until reset, so formulas are written as formulas and checked once, by
 * vdi_tape_backward or vdi_tape_status. A handle from before the last reset, or from another tape,
 * is an error too, not a crash.
 * Memory: nodes, values and gradients come from one bump allocator in blocks that a reset keeps.
 * Repeating a step allocates nothing. With desc.memory everything lives in the caller's block;
 * desc.measure runs a step on shapes alone, without reading or writing data, and vdi_tape_bytes
 * then returns how large that block has to be.
 * Threads: one tape per thread. Equal inputs give equal bits, and so do two backward runs.
 * What it does NOT do: second derivatives, in-place operations, graphs that outlive a reset, checks
 * for NaN (the optimiser makes them).
 */
#ifndef VDI_GRAD_TAPE_H
#define VDI_GRAD_TAPE_H
#include "../core/field.h"
#include "../core/pool.h"
#include "../kernel/table.h"
#include "../linalg/table.h"

/** A tape: an opaque object made by vdi_tape_create. */
typedef struct vdi_tape vdi_tape;
struct vdi__node;
/** A value on a tape. Copy it freely; it is good until the tape is reset. The null variable has
 * node NULL. */
typedef struct vdi_var {
    struct vdi__node *node; /**< private; NULL in the null variable */
    uintptr_t serial;       /**< private; which life of which tape */
} vdi_var;

/** What a tape is made of. All zero is a legal description. */
typedef struct vdi_tape_desc {
    vdi_dtype dtype;         /**< of the constants that are made from plain numbers; default
                                  VDI_F32 */
    vdi_allocator allocator; /**< default malloc and free */
    size_t block_size;       /**< bytes of the first block; default 64 KiB, doubling as it grows */
    void *memory;            /**< the caller's block, or NULL; with it the tape never allocates */
    size_t memory_size;      /**< bytes of `memory` */
    vdi_pool *pool;          /**< for the operations that split over trials; NULL: the caller's
                                  thread */
    bool measure;            /**< shapes alone: no data is read or written, only vdi_tape_bytes
                                  means something */
} vdi_tape_desc;

/** Its table: the fields that are numbers. */
VDI_API const vdi_fields *vdi_tape_desc_fields(void);
/** The filled description. */
VDI_API vdi_tape_desc vdi_tape_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_tape_desc_check(const vdi_tape_desc *desc, vdi_error *err);
/** Make a tape; `desc` NULL is all defaults. */
VDI_API VDI_NODISCARD vdi_status vdi_tape_create(const vdi_tape_desc *desc, vdi_tape **out,
                                                 vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_tape_destroy(vdi_tape *t);
/** Forget all variables and the error, keep the memory. */
VDI_API void vdi_tape_reset(vdi_tape *t);
/** VDI_OK, or the first error since the last reset; `err` may be NULL. */
VDI_API vdi_status vdi_tape_status(const vdi_tape *t, vdi_error *err);
/** Record an error of the caller's own, from inside code that builds on a tape; returns the null
 * variable. */
VDI_API vdi_var vdi_tape_fail(vdi_tape *t, vdi_status status, const char *where, const char *format,
                              ...) VDI__PRINTF(4, 5);
/** The most bytes in use at any time so far, the tape itself included: what desc.memory_size has to
 * be for the same step. SIZE_MAX: more than any memory holds. */
VDI_API size_t vdi_tape_bytes(const vdi_tape *t);
/** Is it a measuring tape? Then data pointers may not be followed. */
VDI_API bool vdi_tape_is_measuring(const vdi_tape *t);
/** The dtype of the description. */
VDI_API vdi_dtype vdi_tape_dtype(const vdi_tape *t);
/** The pool of the description. */
VDI_API vdi_pool *vdi_tape_pool(const vdi_tape *t);

/** A constant: packed F32 or F64 data, referenced (not copied) until the reset; no gradient. */
VDI_API vdi_var vdi_tape_constant(vdi_tape *t, vdi_tensor data);
/** A constant copied onto the tape from any strides and dtype, cast to `dtype`. */
VDI_API vdi_var vdi_tape_constant_copy(vdi_tape *t, vdi_tensor data, vdi_dtype dtype);
/** A scalar constant of the tape's dtype. */
VDI_API vdi_var vdi_tape_scalar(vdi_tape *t, double value);
/** A constant of the tape's dtype with every element `value`. */
VDI_API vdi_var vdi_tape_full(vdi_tape *t, int ndim, const int64_t *shape, double value);
/** A leaf with a gradient of its own (see vdi_tape_grad): packed data, referenced. */
VDI_API vdi_var vdi_tape_variable(vdi_tape *t, vdi_tensor data);
/** A leaf whose gradient is ADDED to `grad` (packed, same shape and dtype) by backward: how
 * parameters enter. A null `grad`
 *  makes it a constant, and so does vdi_tape_set_frozen. */
VDI_API vdi_var vdi_tape_leaf(vdi_tape *t, vdi_tensor value, vdi_tensor grad);
/** While true, leaves and variables are taken as constants, so nothing is kept for a backward run
 * (inference). Returns the old setting. */
VDI_API bool vdi_tape_set_no_grad(vdi_tape *t, bool on);
/** While true, vdi_tape_leaf gives constants: a critic inside a policy's loss. Returns the old
 * setting. */
VDI_API bool vdi_tape_set_frozen(vdi_tape *t, bool on);

/** Gradient of a scalar with respect to every leaf it depends on. May be called again, for the same
 * or another variable. After an
 *  error the gradients of leaves may be half added: zero them. */
VDI_API vdi_status vdi_tape_backward(vdi_tape *t, vdi_var loss);
/** The same for a variable of any shape, from its cotangent (same shape; any strides and real
 * dtype). */
VDI_API vdi_status vdi_tape_backward_from(vdi_tape *t, vdi_var v, vdi_tensor cotangent);
/** From several variables at once; a null tensor as cotangent means 1 (for a scalar). */
VDI_API vdi_status vdi_tape_backward_many(vdi_tape *t, int count, const vdi_var *v,
                                          const vdi_tensor *cotangent);

/** The value: a view of the tape's memory, good until reset. The null tensor for a null or stale
 * variable. */
VDI_API vdi_tensor vdi_tape_value(const vdi_tape *t, vdi_var v);
/** The gradient that the last backward run gave this variable; the null tensor if none reached it
 * (then it is zero). */
VDI_API vdi_tensor vdi_tape_grad(const vdi_tape *t, vdi_var v);
/** The value of a one-element variable as double; NaN for any other. */
VDI_API double vdi_tape_item(const vdi_tape *t, vdi_var v);
/** Did the operation succeed? */
VDI__INLINE bool vdi_var_ok(vdi_var v) { return v.node != NULL; }
/** The null variable, for optional arguments that are left out. */
VDI__INLINE vdi_var vdi_var_none(void) {
    vdi_var v;
    v.node = NULL;
    v.serial = 0;
    return v;
}
/** Dimensions, -1 for a null or stale variable. */
VDI_API int vdi_var_ndim(const vdi_tape *t, vdi_var v);
/** Extent of an axis (negative counts from the end); -1 if there is none. */
VDI_API int64_t vdi_var_dim(const vdi_tape *t, vdi_var v, int axis);
/** Does a gradient flow through it? */
VDI_API bool vdi_var_needs_grad(const vdi_tape *t, vdi_var v);

/** Memory for the time of one callback of an operation (grad/custom.h), aligned to 64 bytes and not
 * cleared; NULL when memory is out or on a measuring tape. */
VDI_API void *vdi_tape_scratch(vdi_tape *t, size_t bytes);

#if VDI__PART
VDI__LINK void *vdi__tape_payload(vdi_tape *t, const char *where, size_t bytes);
#endif

#endif /* VDI_GRAD_TAPE_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_TAPE_C)
#define VDI_GRAD_TAPE_C

/* ======== nodes =============================================================================== */

typedef struct vdi__node vdi__node;
typedef void vdi__back_fn(vdi_tape *t, vdi__node *n);

/* Two cache lines. Values are packed, so a shape says it all; shapes are shared between nodes by
 * pointer. */
struct vdi__node {
    vdi__back_fn *back;
    vdi__node *prev; /* the node before it through which gradients flow */
    void *value;
    void *grad; /* its memory; holds a gradient only if pass is the tape's */
    int64_t count;
    const int64_t *shape;
    vdi__node *in[3];
    double p;
    void *extra; /* what else the op has to remember */
    uint32_t pass;
    uint8_t dtype, ndim, flags, op;
    int64_t dims[4]; /* room for a shape of its own */
};

#define VDI__NODE_SIZE ((sizeof(vdi__node) + (VDI_ALIGN - 1)) & ~(size_t)(VDI_ALIGN - 1))

enum { VDI__NODE_GRAD = 1, VDI__NODE_EXTERNAL = 2, VDI__NODE_HUB = 4 };

typedef struct vdi__tape_block {
    struct vdi__tape_block *next;
    size_t size, used; /* of the bytes that follow the header */
} vdi__tape_block;

struct vdi_tape {
    char *at, *end; /* free bytes of the current block */
    const vdi__kernels *k[2];
    vdi__node *last;
    uintptr_t serial;
    uint32_t pass;
    bool measure, no_grad, frozen, fixed;
    vdi_status status;
    vdi__tape_block *first, *block;
    size_t before, phantom, peak; /* bytes in earlier blocks; bytes that a measuring tape only
                                     counts */
    size_t next_size;
    vdi_tape_desc desc;
    vdi_error error;
};

#define VDI__LINE ((size_t)VDI_ALIGN)
/* What stands for data on a measuring tape: never followed. */
#define VDI__PHANTOM ((void *)(uintptr_t)VDI_ALIGN)

VDI__FN char *vdi__block_data(vdi__tape_block *b) { return (char *)b + VDI_ALIGN; }

VDI__FN void vdi__tape_keep(vdi_tape *t, vdi_status status) {
    t->status = status;
    t->serial++; /* every variable from before the error is void */
}

VDI__DEF vdi_var vdi_tape_fail(vdi_tape *t, vdi_status status, const char *where,
                               const char *format, ...) {
    if (t->status >= 0) {
        va_list args;
        va_start(args, format);
        t->error.status = status;
        (void)vdi_text_vformat(t->error.message, sizeof t->error.message, format, args);
        va_end(args);
        (void)vdi_text_copy(t->error.where, sizeof t->error.where, where);
        vdi__tape_keep(t, status);
    }
    return vdi_var_none();
}

/* ======== memory ============================================================================== */

VDI__FN size_t vdi__tape_used(const vdi_tape *t) {
    const size_t here = t->block ? (size_t)(t->at - vdi__block_data(t->block)) : 0;
    return vdi_add_size(t->phantom, t->before + here);
}

VDI__FN void vdi__tape_enter(vdi_tape *t, vdi__tape_block *b) {
    t->block = b;
    t->at = b ? vdi__block_data(b) : NULL;
    t->end = b ? t->at + b->size : NULL;
}

VDI__NOINLINE VDI__FN void *vdi__tape_more(vdi_tape *t, size_t size) {
    vdi__tape_block *last = t->block, *b = last ? last->next : t->first;
    for (; b && b->size < size; b = b->next)
        last = b;
    if (!b) {
        size_t bytes = VDI__MAX(t->next_size, size);
        if (t->fixed || bytes > SIZE_MAX - 2 * VDI__LINE) return NULL;
        b = (vdi__tape_block *)vdi_alloc(&t->desc.allocator, bytes + VDI__LINE);
        if (!b) return NULL;
        b->next = NULL;
        b->size = bytes;
        if (last)
            last->next = b;
        else
            t->first = b;
        if (t->next_size < (size_t)1 << 26) t->next_size *= 2;
    }
    if (t->block) t->before += (size_t)(t->at - vdi__block_data(t->block));
    vdi__tape_enter(t, b);
    t->at += size;
    return t->at - size;
}

/* `size` is a multiple of the line. */
VDI__INLINE void *vdi__tape_bump(vdi_tape *t, size_t size) {
    if (VDI__LIKELY((size_t)(t->end - t->at) >= size)) {
        t->at += size;
        return t->at - size;
    }
    return vdi__tape_more(t, size);
}

VDI__INLINE size_t vdi__lines(size_t bytes) { return (bytes + (VDI__LINE - 1)) & ~(VDI__LINE - 1); }

/* Memory that even a measuring tape writes. */
VDI__LINK void *vdi__tape_payload(vdi_tape *t, const char *where, size_t bytes) {
    void *p = bytes > SIZE_MAX / 2 ? NULL : vdi__tape_bump(t, vdi__lines(bytes));
    if (!p) (void)vdi_tape_fail(t, VDI_ERR_MEMORY, where, "no memory for %zu bytes", bytes);
    return p;
}

/* On a measuring tape: what would be needed. SIZE_MAX once it is more than memory can hold. */
VDI__FN void vdi__tape_count(vdi_tape *t, size_t bytes) {
    t->phantom = vdi_add_size(t->phantom, vdi_align_size(bytes));
}

/* Memory for data. */
VDI__FN void *vdi__tape_data(vdi_tape *t, const char *where, size_t bytes) {
    if (t->measure) {
        vdi__tape_count(t, bytes);
        return VDI__PHANTOM;
    }
    return vdi__tape_payload(t, where, bytes);
}

typedef struct vdi__tape_mark {
    vdi__tape_block *block;
    char *at;
    size_t before, phantom;
} vdi__tape_mark;

VDI__FN vdi__tape_mark vdi__scratch_begin(vdi_tape *t) {
    vdi__tape_mark m;
    m.block = t->block;
    m.at = t->at;
    m.before = t->before;
    m.phantom = t->phantom;
    return m;
}

VDI__FN void vdi__scratch_end(vdi_tape *t, vdi__tape_mark m) {
    size_t used = vdi__tape_used(t);
    if (used > t->peak) t->peak = used;
    vdi__tape_enter(t, m.block);
    t->at = m.at;
    t->before = m.before;
    t->phantom = m.phantom;
}

VDI__DEF void *vdi_tape_scratch(vdi_tape *t, size_t bytes) {
    void *p = vdi__tape_data(t, "vdi_tape_scratch", bytes);
    return t->measure ? NULL : p;
}

/* The names of the real types, in the order of vdi_dtype. */
static const char *const vdi__real_words[] = {"float32", "float64", NULL};
static const vdi_field vdi__tape_rows[] = {
    VDI_FIELD_ENUM(vdi_tape_desc, dtype, vdi__real_words, "type of constants made from numbers"),
    VDI_FIELD_BOOL(vdi_tape_desc, measure, "shapes alone, to learn how much memory is needed"),
};
static const vdi_fields vdi__tape_table = {"vdi_tape_desc", vdi__tape_rows,
                                           (int)VDI__COUNT(vdi__tape_rows)};

VDI__DEF const vdi_fields *vdi_tape_desc_fields(void) { return &vdi__tape_table; }

VDI__DEF vdi_tape_desc vdi_tape_desc_defaults(void) {
    vdi_tape_desc d = VDI__ZERO;
    d.dtype = VDI_F32;
    d.allocator = vdi_allocator_defaults(NULL);
    d.block_size = (size_t)1 << 16;
    return d;
}

VDI__DEF vdi_status vdi_tape_desc_check(const vdi_tape_desc *desc, vdi_error *err) {
    const vdi_status status = vdi_fields_check(&vdi__tape_table, desc, err);
    if (status < 0) return status;
    if ((desc->memory == NULL) != (desc->memory_size == 0)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_tape_desc.memory",
                             "memory and memory_size have to be given together");
    }
    if (desc->memory && desc->memory_size < sizeof(vdi_tape) + 3 * VDI__LINE) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_tape_desc.memory_size",
                             "memory_size is %zu, the tape alone needs %zu", desc->memory_size,
                             sizeof(vdi_tape) + 3 * VDI__LINE);
    }
    if (desc->block_size > SIZE_MAX / 4) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_tape_desc.block_size",
                             "block_size is %zu, expected at most %zu", desc->block_size,
                             (size_t)SIZE_MAX / 4);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_tape_create(const vdi_tape_desc *desc, vdi_tape **out, vdi_error *err) {
    vdi_tape_desc d = desc ? *desc : vdi_tape_desc_defaults();
    vdi_tape *t;
    *out = NULL;
    vdi_status status = vdi_tape_desc_check(&d, err);
    if (status == VDI_OK) status = vdi_arithmetic_check(err);
    if (status < 0) return status;
    d.allocator = vdi_allocator_defaults(&d.allocator);
    if (!d.block_size) d.block_size = (size_t)1 << 16;
    if (d.memory) {
        uintptr_t at = (uintptr_t)d.memory, up = (at + VDI__LINE - 1) & ~(uintptr_t)(VDI__LINE - 1);
        t = (vdi_tape *)(void *)((char *)d.memory + (up - at));
        memset(t, 0, sizeof *t);
        t->fixed = true;
        t->first = (vdi__tape_block *)(void *)((char *)t + vdi__lines(sizeof *t));
        t->first->next = NULL;
        t->first->size =
            (d.memory_size - (up - at) - vdi__lines(sizeof *t) - VDI__LINE) & ~(VDI__LINE - 1);
    } else {
        t = (vdi_tape *)vdi_alloc(&d.allocator, sizeof *t);
        if (!t) {
            return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_tape_create", "no memory for %zu bytes",
                                 sizeof *t);
        }
        memset(t, 0, sizeof *t);
    }
    t->desc = d;
    t->measure = d.measure;
    t->next_size = vdi__lines(d.block_size);
    /* tapes rarely share a serial, so foreign handles are found */
    t->serial = ((uintptr_t)t >> 4) * (uintptr_t)0x9E3779B1u;
    vdi_tape_reset(t);
    *out = t;
    return VDI_OK;
}

VDI__DEF void vdi_tape_destroy(vdi_tape *t) {
    if (!t || t->fixed) return;
    vdi_allocator a = t->desc.allocator;
    for (vdi__tape_block *b = t->first, *next; b; b = next) {
        next = b->next;
        vdi_free(&a, b, b->size + VDI__LINE);
    }
    vdi_free(&a, t, sizeof *t);
}

VDI__DEF void vdi_tape_reset(vdi_tape *t) {
    size_t used = vdi__tape_used(t);
    if (used > t->peak) t->peak = used;
    vdi__tape_enter(t, t->first);
    t->before = t->phantom = 0;
    t->last = NULL;
    t->serial++;
    t->status = VDI_OK;
    t->k[VDI_F32] = vdi__kernels_of(VDI_F32); /* the path in use may have been changed */
    t->k[VDI_F64] = vdi__kernels_of(VDI_F64);
}

VDI__DEF vdi_status vdi_tape_status(const vdi_tape *t, vdi_error *err) {
    if (t->status < 0 && err) *err = t->error;
    return t->status;
}

VDI__DEF size_t vdi_tape_bytes(const vdi_tape *t) {
    size_t used = vdi__tape_used(t);
    /* the block's header, and an unaligned start */
    return vdi_add_size(VDI__MAX(used, t->peak), vdi__lines(sizeof *t) + 3 * VDI__LINE);
}

VDI__DEF bool vdi_tape_is_measuring(const vdi_tape *t) { return t->measure; }
VDI__DEF vdi_dtype vdi_tape_dtype(const vdi_tape *t) { return t->desc.dtype; }
VDI__DEF vdi_pool *vdi_tape_pool(const vdi_tape *t) { return t->desc.pool; }
VDI__DEF bool vdi_tape_set_no_grad(vdi_tape *t, bool on) {
    bool old = t->no_grad;
    t->no_grad = on;
    return old;
}
VDI__DEF bool vdi_tape_set_frozen(vdi_tape *t, bool on) {
    bool old = t->frozen;
    t->frozen = on;
    return old;
}

/* ======== making nodes ======================================================================== */

VDI__INLINE size_t vdi__node_bytes(const vdi__node *n) {
    return (size_t)n->count * vdi__real_size(n->dtype);
}
/* Element i of a block that is shaped like n: its value, its gradient, an argument's. */
VDI__INLINE void *vdi__elem(const vdi__node *n, void *base, int64_t i) {
    return vdi__element(n->dtype, base, (size_t)i);
}

/* The node of an argument, or NULL with an error. */
VDI__NOINLINE VDI__FN vdi__node *vdi__arg_bad(vdi_tape *t, vdi_var v, const char *where) {
    if (!v.node) {
        (void)vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "an argument is the null variable");
    } else {
        (void)vdi_tape_fail(
            t, VDI_ERR_STATE, where,
            "an argument belongs to another tape, or is from before the last reset");
    }
    return NULL;
}
VDI__INLINE vdi__node *vdi__arg(vdi_tape *t, vdi_var v, const char *where) {
    if (VDI__LIKELY(v.serial == t->serial && v.node != NULL)) return v.node;
    return vdi__arg_bad(t, v, where);
}

VDI__INLINE vdi_var vdi__var_of(const vdi_tape *t, vdi__node *n) {
    vdi_var v;
    v.node = n;
    v.serial = t->serial;
    return v;
}

VDI__NOINLINE VDI__FN vdi__node *vdi__node_failed(vdi_tape *t, const char *where, size_t bytes) {
    (void)vdi_tape_fail(t, VDI_ERR_MEMORY, where, "no memory for %zu bytes", bytes);
    return NULL;
}

/* A node with the shape and dtype of x; with room for its value, or none. */
VDI__INLINE vdi__node *vdi__node_like(vdi_tape *t, const char *where, const vdi__node *x,
                                      bool room) {
    size_t bytes = room ? vdi__lines(vdi__node_bytes(x)) : 0, real = t->measure ? 0 : bytes;
    vdi__node *n = (vdi__node *)vdi__tape_bump(t, VDI__NODE_SIZE + real);
    if (VDI__UNLIKELY(!n)) return vdi__node_failed(t, where, VDI__NODE_SIZE + real);
    n->back = NULL;
    n->prev = NULL;
    n->value = (char *)n + VDI__NODE_SIZE;
    if (VDI__UNLIKELY(t->measure)) {
        vdi__tape_count(t, bytes);
        n->value = VDI__PHANTOM;
    }
    n->grad = NULL;
    n->count = x->count;
    n->shape = x->shape;
    n->in[0] = n->in[1] = n->in[2] = NULL;
    n->p = 0;
    n->extra = NULL;
    n->pass = t->pass - 1;
    n->dtype = x->dtype;
    n->ndim = x->ndim;
    n->flags = 0;
    n->op = 0;
    return n;
}

/* A node of any shape. */
VDI__FN vdi__node *vdi__node_shaped(vdi_tape *t, const char *where, vdi_dtype dtype, int ndim,
                                    const int64_t *shape, bool room) {
    vdi__node model;
    int64_t own[VDI_MAX_DIMS];
    if (t->status < 0) return NULL;
    model.count = vdi__shape_count(ndim, shape);
    if (model.count < 0) {
        (void)vdi_tape_fail(t, VDI_ERR_SHAPE, where,
                            "a result of %d dimensions is out of range (at most %d, extents >= 0)",
                            ndim, VDI_MAX_DIMS);
        return NULL;
    }
    for (int i = 0; i < ndim; i++)
        own[i] = shape[i];
    model.shape = NULL;
    model.dtype = (uint8_t)dtype;
    model.ndim = (uint8_t)ndim;
    vdi__node *n = vdi__node_like(t, where, &model, room);
    if (!n) return NULL;
    int64_t *to = n->dims;
    if (ndim > 4) {
        to = (int64_t *)vdi__tape_payload(t, where, (size_t)ndim * sizeof *to);
        if (!to) return NULL;
    }
    for (int i = 0; i < ndim; i++)
        to[i] = own[i];
    n->shape = to;
    return n;
}

/* Let gradients flow: `back` runs when one has reached n. Give the variable. */
VDI__INLINE vdi_var vdi__node_link(vdi_tape *t, vdi__node *n, unsigned input_flags,
                                   vdi__back_fn *back) {
    if (input_flags & VDI__NODE_GRAD) {
        n->flags = (uint8_t)(n->flags | VDI__NODE_GRAD);
        n->back = back;
        n->prev = t->last;
        t->last = n;
    }
    return vdi__var_of(t, n);
}

VDI__FN vdi_tensor vdi__node_tensor(const vdi_tape *t, const vdi__node *n, void *data) {
    return vdi_tensor_view(t->measure ? NULL : data, (vdi_dtype)n->dtype, n->ndim, n->shape);
}

VDI__FN const char *vdi__node_text(const vdi__node *n, char *buf) {
    return vdi_tensor_shape_text(vdi_tensor_view(NULL, VDI_F32, n->ndim, n->shape), buf);
}

VDI__INLINE bool vdi__same_shape(const vdi__node *a, const vdi__node *b) {
    if (a->shape == b->shape && a->ndim == b->ndim) return true;
    if (a->ndim != b->ndim || a->count != b->count) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

VDI__FN vdi_var vdi__shapes_differ(vdi_tape *t, const char *where, const vdi__node *a,
                                   const vdi__node *b, const char *why) {
    char x[VDI_SHAPE_TEXT], y[VDI_SHAPE_TEXT];
    return vdi_tape_fail(t, VDI_ERR_SHAPE, where, "%s: shapes %s and %s: %s", where,
                         vdi__node_text(a, x), vdi__node_text(b, y), why);
}

VDI__FN bool vdi__same_dtype(vdi_tape *t, const char *where, const vdi__node *a,
                             const vdi__node *b) {
    if (VDI__LIKELY(a->dtype == b->dtype)) return true;
    (void)vdi_tape_fail(t, VDI_ERR_DTYPE, where,
                        "%s: arguments are %s and %s; cast one (vdi_var_cast)", where,
                        vdi_dtype_name((vdi_dtype)a->dtype), vdi_dtype_name((vdi_dtype)b->dtype));
    return false;
}

/* An axis, negative from the end; -1 and an error if there is none. */
VDI__FN int vdi__axis(vdi_tape *t, const char *where, const vdi__node *x, int axis) {
    char a[VDI_SHAPE_TEXT];
    int i = axis < 0 ? axis + x->ndim : axis;
    if (i >= 0 && i < x->ndim) return i;
    (void)vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "%s: axis %d of shape %s", where, axis,
                        vdi__node_text(x, a));
    return -1;
}

/* x seen as (outer, n, inner) around an axis. */
typedef struct vdi__split {
    int64_t outer, n, inner;
} vdi__split;
VDI__FN vdi__split vdi__split_at(const vdi__node *x, int axis) {
    vdi__split s;
    s.outer = s.inner = 1;
    for (int i = 0; i < axis; i++)
        s.outer *= x->shape[i];
    s.n = x->shape[axis];
    for (int i = axis + 1; i < x->ndim; i++)
        s.inner *= x->shape[i];
    return s;
}

/* ======== leaves ============================================================================== */

VDI__FN vdi__node *vdi__leaf_new(vdi_tape *t, const char *where, vdi_tensor data) {
    if (t->status < 0) return NULL;
    if (!vdi_tensor_ok(data) || !vdi_dtype_is_real(data.dtype) || !vdi_tensor_is_contiguous(data)) {
        (void)vdi_tape_fail(
            t, VDI_ERR_ARGUMENT, where,
            "expected packed float32 or float64 data; vdi_tape_constant_copy takes any");
        return NULL;
    }
    if (!data.data && !t->measure && vdi_tensor_count(data) > 0) {
        (void)vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "data is NULL");
        return NULL;
    }
    vdi__node *n = vdi__node_shaped(t, where, data.dtype, data.ndim, data.shape, false);
    if (n && !t->measure) n->value = data.data;
    return n;
}

VDI__DEF vdi_var vdi_tape_constant(vdi_tape *t, vdi_tensor data) {
    vdi__node *n = vdi__leaf_new(t, "vdi_tape_constant", data);
    return n ? vdi__var_of(t, n) : vdi_var_none();
}

VDI__DEF vdi_var vdi_tape_constant_copy(vdi_tape *t, vdi_tensor data, vdi_dtype dtype) {
    static const char where[] = "vdi_tape_constant_copy";
    if (t->status < 0) return vdi_var_none();
    if (!vdi_tensor_ok(data) || !vdi_dtype_is_real(dtype))
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "a null tensor, or not a real dtype");
    if (!data.data && !t->measure && vdi_tensor_count(data) > 0)
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "data is NULL");
    vdi__node *n = vdi__node_shaped(t, where, dtype, data.ndim, data.shape, true);
    if (!n) return vdi_var_none();
    if (!t->measure && vdi_tensor_copy(vdi__node_tensor(t, n, n->value), data, NULL) < 0)
        return vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "the data cannot be copied");
    return vdi__var_of(t, n);
}

VDI__DEF vdi_var vdi_tape_full(vdi_tape *t, int ndim, const int64_t *shape, double value) {
    vdi__node *n = vdi__node_shaped(t, "vdi_tape_full", t->desc.dtype, ndim, shape, true);
    if (!n) return vdi_var_none();
    if (!t->measure) t->k[n->dtype]->fill((size_t)n->count, value, n->value);
    return vdi__var_of(t, n);
}

VDI__DEF vdi_var vdi_tape_scalar(vdi_tape *t, double value) {
    return vdi_tape_full(t, 0, NULL, value);
}

VDI__DEF vdi_var vdi_tape_variable(vdi_tape *t, vdi_tensor data) {
    vdi__node *n = vdi__leaf_new(t, "vdi_tape_variable", data);
    if (!n) return vdi_var_none();
    if (!t->no_grad) n->flags = VDI__NODE_GRAD;
    return vdi__var_of(t, n);
}

VDI__DEF vdi_var vdi_tape_leaf(vdi_tape *t, vdi_tensor value, vdi_tensor grad) {
    vdi__node *n = vdi__leaf_new(t, "vdi_tape_leaf", value);
    if (!n) return vdi_var_none();
    if (t->no_grad || t->frozen || !vdi_tensor_ok(grad)) return vdi__var_of(t, n);
    if (grad.dtype != value.dtype || !vdi_tensor_same_shape(grad, value) ||
        !vdi_tensor_is_contiguous(grad)) {
        return vdi_tape_fail(
            t, VDI_ERR_SHAPE, "vdi_tape_leaf",
            "the gradient is not packed, or of another shape or dtype than the value");
    }
    n->flags = VDI__NODE_GRAD | VDI__NODE_EXTERNAL;
    n->grad = grad.data;
    return vdi__var_of(t, n);
}

/* ======== backward ============================================================================ */

/* Where the gradient of n goes, NULL with an error when memory is out. *add: to what is there, or
 * overwrite it (first to come). */
VDI__INLINE void *vdi__grad_open(vdi_tape *t, vdi__node *n, bool *add) {
    *add = true;
    if (n->pass == t->pass) return n->grad;
    n->pass = t->pass;
    if (n->flags & VDI__NODE_EXTERNAL) return n->grad;
    *add = false;
    if (!n->grad) n->grad = vdi__tape_data(t, "vdi_tape_backward", vdi__node_bytes(n));
    return n->grad;
}

/* The same for those who can only add. */
VDI__INLINE void *vdi__grad_zeroed(vdi_tape *t, vdi__node *n) {
    bool add;
    void *g = vdi__grad_open(t, n, &add);
    if (g && !add && !t->measure) memset(g, 0, vdi__node_bytes(n));
    return g;
}

VDI__INLINE bool vdi__wants(const vdi__node *n) { return n && (n->flags & VDI__NODE_GRAD); }

/* Add x (count elements) to the gradient of n, or put it there. */
VDI__FN void vdi__grad_add(vdi_tape *t, vdi__node *n, double scale, const void *x) {
    bool add;
    void *g = vdi__grad_open(t, n, &add);
    if (!g || t->measure) return;
    if (!add && scale == 1)
        memcpy(g, x, vdi__node_bytes(n));
    else
        t->k[n->dtype]->axpby((size_t)n->count, scale, x, add ? 1 : 0, g);
}

/* May a gradient start at n? `cotangent` NULL: with a 1. False with an error. */
VDI__FN bool vdi__may_start(vdi_tape *t, const char *where, const vdi__node *n,
                            const vdi_tensor *cotangent) {
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    if (!vdi__wants(n)) {
        (void)vdi_tape_fail(
            t, VDI_ERR_STATE, where,
            "%s: the variable depends on no parameter and no variable with a gradient", where);
    } else if (!cotangent && n->count != 1) {
        (void)vdi_tape_fail(t, VDI_ERR_SHAPE, where,
                            "%s: the variable has shape %s, expected a scalar", where,
                            vdi__node_text(n, a));
    } else if (cotangent && !vdi_tensor_same_shape(*cotangent, vdi__node_tensor(t, n, NULL))) {
        (void)vdi_tape_fail(t, VDI_ERR_SHAPE, where,
                            "%s: the variable has shape %s, its cotangent %s", where,
                            vdi__node_text(n, a), vdi_tensor_shape_text(*cotangent, b));
    } else if (cotangent && !cotangent->data && !t->measure && n->count > 0) {
        (void)vdi_tape_fail(t, VDI_ERR_ARGUMENT, where, "the cotangent has no data");
    }
    return t->status >= 0;
}

/* Add the cotangent, or 1, to the gradient of n. False with an error. */
VDI__FN bool vdi__start_at(vdi_tape *t, const char *where, vdi__node *n,
                           const vdi_tensor *cotangent) {
    const vdi_dtype dtype = (vdi_dtype)n->dtype;
    void *g = vdi__grad_zeroed(t, n);
    if (!g) return false;
    if (t->measure) return true;
    if (!cotangent) {
        vdi_dtype_store(dtype, g, 0, vdi_dtype_load(dtype, g, 0) + 1);
        return true;
    }
    if (cotangent->dtype == dtype && vdi_tensor_is_contiguous(*cotangent)) {
        t->k[n->dtype]->axpby((size_t)n->count, 1, cotangent->data, 1, g);
        return true;
    }
    vdi__tape_mark m = vdi__scratch_begin(t);
    void *s = vdi__tape_data(t, where, vdi__node_bytes(n));
    if (!s) return false;
    vdi_status copied = vdi_tensor_copy(vdi__node_tensor(t, n, s), *cotangent, NULL);
    if (copied < 0)
        (void)vdi_tape_fail(t, copied, where, "the cotangent cannot be copied");
    else
        t->k[n->dtype]->axpby((size_t)n->count, 1, s, 1, g);
    vdi__scratch_end(t, m);
    return copied >= 0;
}

VDI__FN vdi_status vdi__backward(vdi_tape *t, const char *where, int count, const vdi_var *v,
                                 const vdi_tensor *cotangent) {
    if (t->status < 0) return t->status;
    if (++t->pass == 0) t->pass = 1;
    vdi__node *from = count == 1 ? NULL : t->last;
    for (int i = 0; i < count; i++) {
        vdi__node *n = vdi__arg(t, v[i], where);
        const vdi_tensor *c = cotangent && vdi_tensor_ok(cotangent[i]) ? &cotangent[i] : NULL;
        if (!n || !vdi__may_start(t, where, n, c) || !vdi__start_at(t, where, n, c))
            return t->status;
        if (count == 1) from = n->back ? n : NULL;
    }
    const uint32_t pass = t->pass;
    for (vdi__node *n = from; n && t->status >= 0; n = n->prev) {
        if (n->pass == pass) n->back(t, n);
    }
    return t->status;
}

VDI__DEF vdi_status vdi_tape_backward(vdi_tape *t, vdi_var loss) {
    return vdi__backward(t, "vdi_tape_backward", 1, &loss, NULL);
}
VDI__DEF vdi_status vdi_tape_backward_from(vdi_tape *t, vdi_var v, vdi_tensor cotangent) {
    return vdi__backward(t, "vdi_tape_backward_from", 1, &v, &cotangent);
}
VDI__DEF vdi_status vdi_tape_backward_many(vdi_tape *t, int count, const vdi_var *v,
                                           const vdi_tensor *cotangent) {
    return vdi__backward(t, "vdi_tape_backward_many", count, v, cotangent);
}

/* ======== looking at variables ================================================================ */

VDI__FN vdi__node *vdi__peek(const vdi_tape *t, vdi_var v) {
    return v.serial == t->serial ? v.node : NULL;
}

VDI__DEF vdi_tensor vdi_tape_value(const vdi_tape *t, vdi_var v) {
    vdi__node *n = vdi__peek(t, v);
    return n ? vdi__node_tensor(t, n, n->value) : vdi__tensor_null();
}
VDI__DEF vdi_tensor vdi_tape_grad(const vdi_tape *t, vdi_var v) {
    vdi__node *n = vdi__peek(t, v);
    bool there = n && n->grad && (n->pass == t->pass || (n->flags & VDI__NODE_EXTERNAL));
    return there ? vdi__node_tensor(t, n, n->grad) : vdi__tensor_null();
}
VDI__DEF double vdi_tape_item(const vdi_tape *t, vdi_var v) {
    vdi__node *n = vdi__peek(t, v);
    return n && n->count == 1 && !t->measure ? vdi_dtype_load((vdi_dtype)n->dtype, n->value, 0)
                                             : NAN;
}
VDI__DEF int vdi_var_ndim(const vdi_tape *t, vdi_var v) {
    vdi__node *n = vdi__peek(t, v);
    return n ? n->ndim : -1;
}
VDI__DEF int64_t vdi_var_dim(const vdi_tape *t, vdi_var v, int axis) {
    vdi__node *n = vdi__peek(t, v);
    if (!n) return -1;
    if (axis < 0) axis += n->ndim;
    return axis >= 0 && axis < n->ndim ? n->shape[axis] : -1;
}
VDI__DEF bool vdi_var_needs_grad(const vdi_tape *t, vdi_var v) {
    return vdi__wants(vdi__peek(t, v));
}

VDI__FN void vdi__wake_back(vdi_tape *t, vdi__node *n) { n->in[0]->pass = t->pass; }
#endif
