/* grad/params.h - named sets of parameters: values and gradients in one block each, initialised
 * from a seed
 *
 * Do this:
 *     vdi_param_desc list[2];
 *     list[0] = vdi_param_2d("layer.weight", VDI_INIT_FAN_IN, 0, 28, 256);   (28,256)
 *     list[1] = vdi_param_1d("layer.bias", VDI_INIT_ZEROS, 0, 256);
 *     vdi_rng rng = vdi_rng_make(seed, 0);
 *     vdi_params *p;
 *     if (vdi_params_create(list, 2, VDI_F32, NULL, &rng, &p, &err) < 0) puts(err.message);
 *     ... vdi_tape_param(t, &p->item[0]) on a tape; vdi_params_zero_grad(p) before each step ...
 *     vdi_params_destroy(p);
 *
 * Weights are stored (in, out), convolutions (width, in, out). Every tensor begins on a 64-byte
 * line of its block; the gaps are zero, so whole blocks can be summed and stepped. vdi_params_state
 * lists the values by name for any file format.
 * Threads: a set is not locked; several tapes that run at once take copies with gradients of their
 * own (vdi_params_share).
 */
#ifndef VDI_GRAD_PARAMS_H
#define VDI_GRAD_PARAMS_H
#include "../core/rng.h"
#include "../core/state.h"
#include "init.h"
#include "tape.h"

/** One parameter. `frozen` may be changed at any time. */
typedef struct vdi_param {
    char name[VDI_PARAM_NAME]; /**< its name */
    vdi_tensor value;          /**< in the set's block of values */
    vdi_tensor grad;           /**< in the set's block of gradients */
    bool frozen;               /**< a constant to tapes and optimisers */
} vdi_param;

/** A set of parameters. Read the members; only `frozen` of an item is yours to write. */
typedef struct vdi_params {
    vdi_param *item;               /**< the parameters, in the order of the list */
    int64_t count;                 /**< how many */
    vdi_dtype dtype;               /**< of all of them */
    void *values, *grads;          /**< the two blocks */
    int64_t total;                 /**< elements of a block, gaps included */
    vdi_allocator allocator;       /**< where the memory came from */
    vdi_state state;               /**< see vdi_params_state */
    const struct vdi_params *base; /**< the set whose values these are, or NULL */
} vdi_params;

/** Make a set; `a` NULL is malloc. `rng` may be NULL if no initialiser is random. The values are
 * drawn in the order of the list. */
VDI_API VDI_NODISCARD vdi_status vdi_params_create(const vdi_param_desc *list, int64_t count,
                                                   vdi_dtype dtype, const vdi_allocator *a,
                                                   vdi_rng *rng, vdi_params **out, vdi_error *err);
/** A set that shares the values of `base` and has gradients of its own: one for each thread. `base`
 * has to outlive it. */
VDI_API VDI_NODISCARD vdi_status vdi_params_share(const vdi_params *base, const vdi_allocator *a,
                                                  vdi_params **out, vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_params_destroy(vdi_params *p);
/** Draw all values anew, as vdi_params_create did from the same list. */
VDI_API VDI_NODISCARD vdi_status vdi_params_init(vdi_params *p, const vdi_param_desc *list,
                                                 vdi_rng *rng, vdi_error *err);
/** The parameter of that name, or NULL. */
VDI_API vdi_param *vdi_params_find(const vdi_params *p, const char *name);
/** Number of trained numbers (gaps and frozen ones not counted). */
VDI_API int64_t vdi_params_size(const vdi_params *p);
/** All gradients = 0, those of frozen parameters too. */
VDI_API void vdi_params_zero_grad(vdi_params *p);
/** Euclidean norm of the gradient of all parameters that are not frozen; NaN or infinite if the
 * gradient is. */
VDI_API double vdi_params_grad_norm(const vdi_params *p);
/** Scale the gradient down to `limit` if its norm is larger; returns the norm before. A norm that
 * is not finite changes nothing. */
VDI_API double vdi_params_clip_grad(vdi_params *p, double limit);
/** Add the gradients of `from`, a set of the same shapes (chunks of a batch, in a fixed order). */
VDI_API VDI_NODISCARD vdi_status vdi_params_add_grad(vdi_params *p, const vdi_params *from,
                                                     vdi_error *err);
/** p = (1 - tau) p + tau from: copy (tau = 1) or target network. */
VDI_API VDI_NODISCARD vdi_status vdi_params_mix(vdi_params *p, const vdi_params *from, double tau,
                                                vdi_error *err);
/** The values by name, in the memory of the set: write it to a file, or let a loader fill it. */
VDI_API const vdi_state *vdi_params_state(const vdi_params *p);
/** The parameter as a leaf of the tape: its gradient is added to p->grad. A frozen one, or one
 * without gradient, is a constant. */
VDI_API vdi_var vdi_tape_param(vdi_tape *t, const vdi_param *p);

#endif /* VDI_GRAD_PARAMS_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_PARAMS_C)
#define VDI_GRAD_PARAMS_C

VDI__DEF vdi_status vdi_params_init(vdi_params *p, const vdi_param_desc *list, vdi_rng *rng,
                                    vdi_error *err) {
    static const char where[] = "vdi_params_init";
    for (int64_t i = 0; i < p->count; i++) {
        const vdi_status status = vdi_param_desc_check(&list[i], err);
        if (status < 0) return status;
        if (vdi__inits[list[i].init].random && !rng) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%s needs a generator",
                                 list[i].name);
        }
        if (!vdi_tensor_same_shape(p->item[i].value,
                                   vdi_tensor_view(NULL, p->dtype, list[i].ndim, list[i].shape))) {
            return vdi_error_set(err, VDI_ERR_SHAPE, where, "%s has another shape in the set",
                                 list[i].name);
        }
    }
    for (int64_t i = 0; i < p->count; i++) {
        const vdi__init_row *row = &vdi__inits[list[i].init];
        if (row->fill(p->item[i].value, &list[i], rng, &p->allocator) < 0) {
            return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory to initialise %s",
                                 list[i].name);
        }
    }
    return VDI_OK;
}

/* Elements that a tensor takes in its block. */
VDI__FN int64_t vdi__param_room(const vdi_param *q) {
    int64_t line = VDI_ALIGN / (int64_t)vdi_dtype_size(q->value.dtype);
    int64_t n = vdi_tensor_count(q->value);
    return (n + line - 1) / line * line;
}

/* The set without values or gradients: items, names, state. */
VDI__FN vdi_params *vdi__params_new(int64_t count, vdi_dtype dtype, const vdi_allocator *a) {
    vdi_params *p = (vdi_params *)vdi_alloc(a, sizeof *p);
    if (!p) return NULL;
    memset(p, 0, sizeof *p);
    p->allocator = vdi_allocator_defaults(a);
    p->count = count;
    p->dtype = dtype;
    p->item = (vdi_param *)vdi_alloc(a, vdi_array_size(sizeof *p->item, count, 1, 1));
    p->state.tensors =
        (vdi_named_tensor *)vdi_alloc(a, vdi_array_size(sizeof *p->state.tensors, count, 1, 1));
    p->state.tensor_count = count;
    if (!p->item || !p->state.tensors) {
        vdi_params_destroy(p);
        return NULL;
    }
    memset(p->item, 0, (size_t)count * sizeof *p->item);
    return p;
}

/* Lay the items out in the blocks, allocating those that are not there. */
VDI__FN vdi_status vdi__params_place(vdi_params *p, const char *where, vdi_error *err) {
    const size_t size = vdi_dtype_size(p->dtype);
    const int64_t most = (int64_t)VDI__MIN((uint64_t)INT64_MAX, (uint64_t)SIZE_MAX) / 16;
    p->total = 0;
    for (int64_t i = 0; i < p->count; i++) {
        int64_t room = vdi__param_room(&p->item[i]);
        if (room > most - p->total) {
            return vdi_error_set(err, VDI_ERR_SHAPE, where, "%s: the set is too large",
                                 p->item[i].name);
        }
        p->total += room;
    }
    if (!p->values) {
        p->values = vdi_alloc(&p->allocator, (size_t)p->total * size);
        if (p->values) memset(p->values, 0, (size_t)p->total * size);
    }
    p->grads = vdi_alloc(&p->allocator, (size_t)p->total * size);
    if (!p->values || !p->grads) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %lld parameters",
                             (long long)p->total);
    }
    memset(p->grads, 0, (size_t)p->total * size);
    int64_t at = 0;
    for (int64_t i = 0; i < p->count; i++) {
        vdi_param *q = &p->item[i];
        q->grad = q->value;
        q->value.data = (char *)p->values + (size_t)at * size;
        q->grad.data = (char *)p->grads + (size_t)at * size;
        at += vdi__param_room(q);
        p->state.tensors[i].name = q->name;
        p->state.tensors[i].tensor = q->value;
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_params_create(const vdi_param_desc *list, int64_t count, vdi_dtype dtype,
                                      const vdi_allocator *a, vdi_rng *rng, vdi_params **out,
                                      vdi_error *err) {
    static const char where[] = "vdi_params_create";
    *out = NULL;
    if (count < 0 || (count && !list) || !vdi_dtype_is_real(dtype)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "%lld parameters of %s: expected a list, of float32 or float64",
                             (long long)count, vdi_dtype_name(dtype));
    }
    vdi_params *p = vdi__params_new(count, dtype, a);
    if (!p) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %lld parameters",
                             (long long)count);
    }
    vdi_status status = VDI_OK;
    for (int64_t i = 0; i < count && status >= 0; i++) {
        vdi_param *q = &p->item[i];
        status = vdi_param_desc_check(&list[i], err);
        if (status < 0) break;
        (void)vdi_text_copy(q->name, sizeof q->name, list[i].name);
        q->frozen = list[i].frozen;
        q->value = vdi_tensor_view(NULL, dtype, list[i].ndim, list[i].shape);
        for (int64_t j = 0; j < i && status >= 0; j++) {
            if (strcmp(p->item[j].name, q->name) != 0) continue;
            status = vdi_error_set(err, VDI_ERR_ARGUMENT, where, "two parameters are called \"%s\"",
                                   q->name);
        }
    }
    if (status >= 0) status = vdi__params_place(p, where, err);
    if (status >= 0) status = vdi_params_init(p, list, rng, err);
    if (status < 0)
        vdi_params_destroy(p);
    else
        *out = p;
    return status;
}

VDI__DEF vdi_status vdi_params_share(const vdi_params *base, const vdi_allocator *a,
                                     vdi_params **out, vdi_error *err) {
    *out = NULL;
    vdi_params *p = vdi__params_new(base->count, base->dtype, a);
    if (!p) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_params_share",
                             "no memory for %lld parameters", (long long)base->count);
    }
    memcpy(p->item, base->item, (size_t)base->count * sizeof *p->item);
    p->base = base;
    p->values = base->values;
    vdi_status status = vdi__params_place(p, "vdi_params_share", err);
    if (status < 0)
        vdi_params_destroy(p);
    else
        *out = p;
    return status;
}

VDI__DEF void vdi_params_destroy(vdi_params *p) {
    if (!p) return;
    vdi_allocator a = p->allocator;
    size_t size = vdi_dtype_size(p->dtype);
    if (!p->base) vdi_free(&a, p->values, (size_t)p->total * size);
    vdi_free(&a, p->grads, (size_t)p->total * size);
    vdi_free(&a, p->item, (size_t)p->count * sizeof *p->item);
    vdi_free(&a, p->state.tensors, (size_t)p->count * sizeof *p->state.tensors);
    vdi_free(&a, p, sizeof *p);
}

VDI__DEF vdi_param *vdi_params_find(const vdi_params *p, const char *name) {
    for (int64_t i = 0; i < p->count; i++)
        if (!strcmp(p->item[i].name, name)) return &p->item[i];
    return NULL;
}

VDI__DEF int64_t vdi_params_size(const vdi_params *p) {
    int64_t n = 0;
    for (int64_t i = 0; i < p->count; i++)
        if (!p->item[i].frozen) n += vdi_tensor_count(p->item[i].value);
    return n;
}

/* Runs of neighbouring parameters that are not frozen: what one kernel call may treat as one array.
 * Start with *item = 0. */
VDI__FN bool vdi__params_run(const vdi_params *p, int64_t *item, int64_t *at, int64_t *n) {
    int64_t i = *item;
    while (i < p->count && p->item[i].frozen)
        i++;
    if (i >= p->count) return false;
    *at = ((const char *)p->item[i].value.data - (const char *)p->values) /
          (int64_t)vdi_dtype_size(p->dtype);
    *n = 0;
    for (; i < p->count && !p->item[i].frozen; i++)
        *n += vdi__param_room(&p->item[i]);
    *item = i;
    return true;
}

VDI__DEF void vdi_params_zero_grad(vdi_params *p) {
    memset(p->grads, 0, (size_t)p->total * vdi_dtype_size(p->dtype));
}

VDI__DEF double vdi_params_grad_norm(const vdi_params *p) {
    double s = 0;
    for (int64_t item = 0, at, n; vdi__params_run(p, &item, &at, &n);) {
        const void *g = vdi__element(p->dtype, p->grads, (size_t)at);
        s += vdi_dot(p->dtype, (size_t)n, g, g);
    }
    return sqrt(s);
}

VDI__DEF double vdi_params_clip_grad(vdi_params *p, double limit) {
    double norm = vdi_params_grad_norm(p);
    if (norm > limit && norm - norm == 0)
        vdi_axpby(p->dtype, (size_t)p->total, limit / norm, p->grads, 0, p->grads);
    return norm;
}

VDI__FN vdi_status vdi__params_alike(const vdi_params *p, const vdi_params *q, const char *where,
                                     vdi_error *err) {
    bool same = p->count == q->count && p->dtype == q->dtype;
    for (int64_t i = 0; same && i < p->count; i++)
        same = vdi_tensor_same_shape(p->item[i].value, q->item[i].value);
    return same ? VDI_OK
                : vdi_error_set(err, VDI_ERR_SHAPE, where,
                                "the two sets differ in count, shapes or dtype");
}

VDI__DEF vdi_status vdi_params_add_grad(vdi_params *p, const vdi_params *from, vdi_error *err) {
    vdi_status status = vdi__params_alike(p, from, "vdi_params_add_grad", err);
    if (status >= 0) vdi_axpby(p->dtype, (size_t)p->total, 1, from->grads, 1, p->grads);
    return status;
}

VDI__DEF vdi_status vdi_params_mix(vdi_params *p, const vdi_params *from, double tau,
                                   vdi_error *err) {
    vdi_status status = vdi__params_alike(p, from, "vdi_params_mix", err);
    if (status >= 0) vdi_axpby(p->dtype, (size_t)p->total, tau, from->values, 1 - tau, p->values);
    return status;
}

VDI__DEF const vdi_state *vdi_params_state(const vdi_params *p) { return &p->state; }

VDI__DEF vdi_var vdi_tape_param(vdi_tape *t, const vdi_param *p) {
    vdi_tensor none = p->grad;
    if (p->frozen) none.ndim = -1;
    return vdi_tape_leaf(t, p->value, none);
}
#endif
