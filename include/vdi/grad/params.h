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
 * hands the values out by name for any file format.
 * Threads: a set is not locked; several tapes that run at once take copies with gradients of their
 * own (vdi_params_share).
 */
#ifndef VDI_GRAD_PARAMS_H
#define VDI_GRAD_PARAMS_H
#include "../core/rng.h"
#include "../core/state.h"
#include "tape.h"

/** Room for a parameter's name, with the terminating 0. */
#define VDI_PARAM_NAME 64

/** How a parameter begins. fan_in is the product of all extents but the last, fan_out that of all
 * but the last two times the last. */
typedef enum vdi_init {
    VDI_INIT_ZEROS = 0,
    VDI_INIT_CONSTANT,       /**< scale */
    VDI_INIT_NORMAL,         /**< normal with standard deviation scale (0 means 1) */
    VDI_INIT_FAN_IN,         /**< uniform on +-scale/sqrt(fan_in) (0 means 1): the default of
                                  PyTorch's layers */
    VDI_INIT_GLOROT_UNIFORM, /**< uniform on +-scale sqrt(6/(fan_in+fan_out)) (Glorot and
                                  Bengio 2010) */
    VDI_INIT_GLOROT_NORMAL,  /**< normal, scale sqrt(2/(fan_in+fan_out)) */
    VDI_INIT_HE_UNIFORM,     /**< uniform on +-scale sqrt(6/fan_in) (He et al. 2015) */
    VDI_INIT_HE_NORMAL,      /**< normal, scale sqrt(2/fan_in) */
    VDI_INIT_ORTHOGONAL,     /**< scale times orthonormal rows or columns, all but the last extent
                                  taken together (Saxe et al. 2014) */
    VDI_INIT_IDENTITY        /**< scale (0 means 1) on the diagonal of the last two extents */
} vdi_init;

/** One parameter to be made. */
typedef struct vdi_param_desc {
    char name[VDI_PARAM_NAME];   /**< unique in its set, such as "layer.weight" */
    int32_t ndim;                /**< 0..VDI_MAX_DIMS */
    int64_t shape[VDI_MAX_DIMS]; /**< the first ndim count */
    vdi_init init;               /**< how it begins */
    double scale;                /**< see vdi_init */
    int64_t fan_in;              /**< 0: from the shape; a bias may carry its weight's */
    bool frozen;                 /**< no gradient, no step */
} vdi_param_desc;

/** Shorthands for the common shapes. A name that is too long is cut. */
VDI_API vdi_param_desc vdi_param_1d(const char *name, vdi_init init, double scale, int64_t n0);
VDI_API vdi_param_desc vdi_param_2d(const char *name, vdi_init init, double scale, int64_t n0,
                                    int64_t n1);
VDI_API vdi_param_desc vdi_param_3d(const char *name, vdi_init init, double scale, int64_t n0,
                                    int64_t n1, int64_t n2);
/** The same for any shape; ndim 0 is a scalar. */
VDI_API vdi_param_desc vdi_param_make(const char *name, vdi_init init, double scale, int ndim,
                                      const int64_t *shape);

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

VDI__DEF vdi_param_desc vdi_param_make(const char *name, vdi_init init, double scale, int ndim,
                                       const int64_t *shape) {
    vdi_param_desc d = VDI__ZERO;
    (void)vdi_text_copy(d.name, sizeof d.name, name);
    d.init = init;
    d.scale = scale;
    d.ndim = ndim;
    for (int i = 0; i < ndim && i < VDI_MAX_DIMS; i++)
        d.shape[i] = shape[i];
    return d;
}

VDI__DEF vdi_param_desc vdi_param_1d(const char *name, vdi_init init, double scale, int64_t n0) {
    return vdi_param_make(name, init, scale, 1, &n0);
}

VDI__DEF vdi_param_desc vdi_param_2d(const char *name, vdi_init init, double scale, int64_t n0,
                                     int64_t n1) {
    int64_t shape[2];
    shape[0] = n0;
    shape[1] = n1;
    return vdi_param_make(name, init, scale, 2, shape);
}

VDI__DEF vdi_param_desc vdi_param_3d(const char *name, vdi_init init, double scale, int64_t n0,
                                     int64_t n1, int64_t n2) {
    int64_t shape[3];
    shape[0] = n0;
    shape[1] = n1;
    shape[2] = n2;
    return vdi_param_make(name, init, scale, 3, shape);
}

/* Orthonormal rows or columns: Gram-Schmidt, twice, on normal vectors of double; vectors are drawn
 * one by one, so m <= n each. */
VDI__FN vdi_status vdi__init_orthogonal(vdi_tensor w, double scale, vdi_rng *rng,
                                        const vdi_allocator *a) {
    int64_t cols = w.ndim ? w.shape[w.ndim - 1] : 1, rows = cols ? vdi_tensor_count(w) / cols : 0;
    int64_t count = VDI__MIN(rows, cols), length = VDI__MAX(rows, cols);
    size_t bytes = vdi_mul_size((size_t)(count * length), sizeof(double));
    double *q = (double *)vdi_alloc(a, bytes);
    if (!q) return VDI_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        double *v = q + i * length, norm;
        vdi_rng_fill_normal(rng, VDI_F64, length, v);
        for (int twice = 0; twice < 2; twice++) {
            for (int64_t j = 0; j < i; j++) {
                vdi_axpby(VDI_F64, (size_t)length,
                          -vdi_dot(VDI_F64, (size_t)length, v, q + j * length), q + j * length, 1,
                          v);
            }
            norm = sqrt(vdi_dot(VDI_F64, (size_t)length, v, v));
            vdi_axpby(VDI_F64, (size_t)length, norm > 0 ? 1 / norm : 0, v, 0, v);
        }
    }
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            vdi_dtype_store(w.dtype, w.data, r * cols + c,
                            scale * (rows <= cols ? q[r * length + c] : q[c * length + r]));
        }
    }
    vdi_free(a, q, bytes);
    return VDI_OK;
}

VDI__FN vdi_status vdi__init_one(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                 const vdi_allocator *a) {
    int64_t n = vdi_tensor_count(w);
    int64_t last = w.ndim ? w.shape[w.ndim - 1] : 1;
    int64_t rows = last ? n / last : 0;
    double fan_in = (double)(d->fan_in ? d->fan_in : w.ndim > 1 ? rows : last);
    double fan_out = (double)(w.ndim > 2 ? rows / VDI__MAX(w.shape[w.ndim - 2], 1) * last : last);
    double scale = d->scale == 0 ? 1 : d->scale, width = scale;
    bool normal = false;
    switch (d->init) {
    case VDI_INIT_ZEROS: vdi_tensor_fill(w, 0); return VDI_OK;
    case VDI_INIT_CONSTANT: vdi_tensor_fill(w, d->scale); return VDI_OK;
    case VDI_INIT_IDENTITY:
        vdi_tensor_fill(w, 0);
        for (int64_t r = 0; w.ndim >= 2 && r < rows; r++) {
            if (r % w.shape[w.ndim - 2] < last)
                vdi_dtype_store(w.dtype, w.data, r * last + r % w.shape[w.ndim - 2], scale);
        }
        return VDI_OK;
    case VDI_INIT_ORTHOGONAL: return vdi__init_orthogonal(w, scale, rng, a);
    case VDI_INIT_NORMAL: normal = true; break;
    case VDI_INIT_FAN_IN: width = scale / sqrt(fan_in); break;
    case VDI_INIT_GLOROT_UNIFORM: width = scale * sqrt(6 / (fan_in + fan_out)); break;
    case VDI_INIT_GLOROT_NORMAL:
        width = scale * sqrt(2 / (fan_in + fan_out));
        normal = true;
        break;
    case VDI_INIT_HE_UNIFORM: width = scale * sqrt(6 / fan_in); break;
    case VDI_INIT_HE_NORMAL:
        width = scale * sqrt(2 / fan_in);
        normal = true;
        break;
    }
    for (int64_t i = 0; i < n; i++) {
        vdi_dtype_store(w.dtype, w.data, i,
                        width * (normal ? vdi_rng_normal(rng) : 2 * vdi_rng_uniform(rng) - 1));
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_params_init(vdi_params *p, const vdi_param_desc *list, vdi_rng *rng,
                                    vdi_error *err) {
    static const char where[] = "vdi_params_init";
    for (int64_t i = 0; i < p->count; i++) {
        bool random = list[i].init != VDI_INIT_ZEROS && list[i].init != VDI_INIT_CONSTANT &&
                      list[i].init != VDI_INIT_IDENTITY;
        if ((unsigned)list[i].init > VDI_INIT_IDENTITY || (random && !rng)) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                 "%s: no such initialiser, or it needs a generator", list[i].name);
        }
    }
    for (int64_t i = 0; i < p->count; i++) {
        if (vdi__init_one(p->item[i].value, &list[i], rng, &p->allocator) < 0) {
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
        (void)vdi_text_copy(q->name, sizeof q->name, list[i].name);
        q->frozen = list[i].frozen;
        q->value = vdi_tensor_view(NULL, dtype, list[i].ndim, list[i].shape);
        if (!vdi_tensor_ok(q->value)) {
            status = vdi_error_set(err, VDI_ERR_SHAPE, where,
                                   "%s: a shape of %d axes is out of range", q->name, list[i].ndim);
        }
        for (int64_t j = 0; j < i && status >= 0; j++) {
            if (!strcmp(p->item[j].name, q->name)) {
                status = vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                                       "two parameters are called \"%s\"", q->name);
            }
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
