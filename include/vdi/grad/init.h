/* grad/init.h - how a parameter begins: its name, shape and initialiser
 *
 * Do this:
 *     vdi_param_desc list[2];
 *     list[0] = vdi_param_2d("layer.weight", VDI_INIT_FAN_IN, 0, 28, 256);  uniform in +-1/sqrt(28)
 *     list[1] = vdi_param_1d("layer.bias", VDI_INIT_ZEROS, 0, 256);
 *     if (vdi_param_desc_check(&list[0], &err) < 0) puts(err.message);
 *
 * grad/params.h makes sets of parameters from such lists. A new initialiser is a function and a row
 * of the table at the end, in the order of the enum.
 */
#ifndef VDI_GRAD_INIT_H
#define VDI_GRAD_INIT_H
#include "../core/field.h"
#include "../core/rng.h"
#include "../core/tensor.h"
#include "../kernel/table.h"

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
    int32_t ndim;                /**< axes, up to VDI_MAX_DIMS; 0: a scalar */
    int64_t shape[VDI_MAX_DIMS]; /**< the first ndim count */
    vdi_init init;               /**< how it begins */
    double scale;                /**< see vdi_init */
    int64_t fan_in;              /**< 0: from the shape; a bias may carry its weight's */
    bool frozen;                 /**< no gradient, no step */
} vdi_param_desc;

/** Its table, but for name and shape. */
VDI_API const vdi_fields *vdi_param_desc_fields(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_param_desc_check(const vdi_param_desc *desc, vdi_error *err);
/** Shorthands for the common shapes. A name that is too long is cut. */
VDI_API vdi_param_desc vdi_param_1d(const char *name, vdi_init init, double scale, int64_t n0);
VDI_API vdi_param_desc vdi_param_2d(const char *name, vdi_init init, double scale, int64_t n0,
                                    int64_t n1);
VDI_API vdi_param_desc vdi_param_3d(const char *name, vdi_init init, double scale, int64_t n0,
                                    int64_t n1, int64_t n2);
/** The same for any shape; ndim 0 is a scalar. */
VDI_API vdi_param_desc vdi_param_make(const char *name, vdi_init init, double scale, int ndim,
                                      const int64_t *shape);

#endif /* VDI_GRAD_INIT_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_INIT_C)
#define VDI_GRAD_INIT_C

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

/* ======== initialisers ======================================================================== */

typedef vdi_status vdi__init_fn(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                const vdi_allocator *a);

typedef struct vdi__init_row {
    bool random; /* it draws numbers */
    vdi__init_fn *fill;
} vdi__init_row;

VDI__FN double vdi__init_scale(const vdi_param_desc *d) { return d->scale == 0 ? 1 : d->scale; }

/* The last axis is the outputs; what is before it are the inputs (of a convolution: times taps). */
typedef struct vdi__init_fans {
    double in, out;
} vdi__init_fans;
VDI__FN vdi__init_fans vdi__init_fans_of(vdi_tensor w, const vdi_param_desc *d) {
    const int64_t last = w.ndim ? w.shape[w.ndim - 1] : 1;
    const int64_t rows = last ? vdi_tensor_count(w) / last : 0;
    const int64_t before = w.ndim > 1 ? rows : last;
    const int64_t taps = w.ndim > 2 ? rows / VDI__MAX(w.shape[w.ndim - 2], 1) : 1;
    vdi__init_fans f;
    f.in = (double)(d->fan_in ? d->fan_in : before);
    f.out = (double)(taps * last);
    return f;
}

VDI__FN vdi_status vdi__init_draw(vdi_tensor w, bool normal, double width, vdi_rng *rng) {
    const int64_t n = vdi_tensor_count(w);
    for (int64_t i = 0; i < n; i++) {
        const double x = normal ? vdi_rng_normal(rng) : 2 * vdi_rng_uniform(rng) - 1;
        vdi_dtype_store(w.dtype, w.data, i, width * x);
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__init_zeros(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                   const vdi_allocator *a) {
    (void)d;
    (void)rng;
    (void)a;
    vdi_tensor_fill(w, 0);
    return VDI_OK;
}

VDI__FN vdi_status vdi__init_constant(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                      const vdi_allocator *a) {
    (void)rng;
    (void)a;
    vdi_tensor_fill(w, d->scale);
    return VDI_OK;
}

VDI__FN vdi_status vdi__init_normal(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                    const vdi_allocator *a) {
    (void)a;
    return vdi__init_draw(w, true, vdi__init_scale(d), rng);
}

VDI__FN vdi_status vdi__init_fan_in(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                    const vdi_allocator *a) {
    (void)a;
    return vdi__init_draw(w, false, vdi__init_scale(d) / sqrt(vdi__init_fans_of(w, d).in), rng);
}

VDI__FN vdi_status vdi__init_glorot_uniform(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                            const vdi_allocator *a) {
    const vdi__init_fans f = vdi__init_fans_of(w, d);
    (void)a;
    return vdi__init_draw(w, false, vdi__init_scale(d) * sqrt(6 / (f.in + f.out)), rng);
}

VDI__FN vdi_status vdi__init_glorot_normal(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                           const vdi_allocator *a) {
    const vdi__init_fans f = vdi__init_fans_of(w, d);
    (void)a;
    return vdi__init_draw(w, true, vdi__init_scale(d) * sqrt(2 / (f.in + f.out)), rng);
}

VDI__FN vdi_status vdi__init_he_uniform(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                        const vdi_allocator *a) {
    (void)a;
    return vdi__init_draw(w, false, vdi__init_scale(d) * sqrt(6 / vdi__init_fans_of(w, d).in), rng);
}

VDI__FN vdi_status vdi__init_he_normal(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                       const vdi_allocator *a) {
    (void)a;
    return vdi__init_draw(w, true, vdi__init_scale(d) * sqrt(2 / vdi__init_fans_of(w, d).in), rng);
}

/* Orthonormal rows or columns: Gram-Schmidt, twice, on normal vectors of double; vectors are drawn
 * one by one, so m <= n each. */
VDI__FN vdi_status vdi__init_orthogonal(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                        const vdi_allocator *a) {
    const double scale = vdi__init_scale(d);
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

/* On the diagonal of the last two extents, for each matrix before them. */
VDI__FN vdi_status vdi__init_identity(vdi_tensor w, const vdi_param_desc *d, vdi_rng *rng,
                                      const vdi_allocator *a) {
    (void)rng;
    (void)a;
    vdi_tensor_fill(w, 0);
    if (w.ndim < 2) return VDI_OK;
    const int64_t rows = w.shape[w.ndim - 2], cols = w.shape[w.ndim - 1];
    const int64_t all = cols ? vdi_tensor_count(w) / cols : 0;
    for (int64_t r = 0; r < all; r++) {
        if (r % rows < cols)
            vdi_dtype_store(w.dtype, w.data, r * cols + r % rows, vdi__init_scale(d));
    }
    return VDI_OK;
}

/* One row per kind, in the order of vdi_init. */
static const vdi__init_row vdi__inits[] = {
    {false, vdi__init_zeros},     {false, vdi__init_constant},      {true, vdi__init_normal},
    {true, vdi__init_fan_in},     {true, vdi__init_glorot_uniform}, {true, vdi__init_glorot_normal},
    {true, vdi__init_he_uniform}, {true, vdi__init_he_normal},      {true, vdi__init_orthogonal},
    {false, vdi__init_identity},
};
static const char *const vdi__init_words[] = {
    "zeros",          "constant",      "normal",     "fan_in",
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
    "orthogonal",     "identity",      NULL};

/* ======== the description ===================================================================== */

static const vdi_field vdi__param_rows[] = {
    VDI_FIELD_INT32(vdi_param_desc, ndim, 0, 0, VDI_MAX_DIMS, "axes of the shape"),
    VDI_FIELD_ENUM(vdi_param_desc, init, vdi__init_words, "initialiser"),
    VDI_FIELD_REAL(vdi_param_desc, scale, 0, -1e300, 1e300, "its scale; 0: 1, but for constants"),
    VDI_FIELD_INT(vdi_param_desc, fan_in, 0, 0, 1e15, "inputs of a unit; 0: from the shape"),
    VDI_FIELD_BOOL(vdi_param_desc, frozen, "no gradient, no step"),
};
static const vdi_fields vdi__param_table = {"vdi_param_desc", vdi__param_rows,
                                            (int)VDI__COUNT(vdi__param_rows)};

VDI__DEF const vdi_fields *vdi_param_desc_fields(void) { return &vdi__param_table; }

VDI__DEF vdi_status vdi_param_desc_check(const vdi_param_desc *desc, vdi_error *err) {
    const char *where = vdi__param_table.name;
    char text[VDI_SHAPE_TEXT];
    if (!memchr(desc->name, 0, sizeof desc->name))
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "a name has no end");
    const vdi_status status = vdi_fields_check(&vdi__param_table, desc, err);
    if (status < 0) return status;
    if (vdi__shape_count(desc->ndim, desc->shape) >= 0) return VDI_OK;
    vdi_tensor bad = vdi__tensor_null();
    bad.ndim = desc->ndim;
    memcpy(bad.shape, desc->shape, (size_t)desc->ndim * sizeof *bad.shape);
    return vdi_error_set(err, VDI_ERR_SHAPE, where, "%s: shape %s is out of range", desc->name,
                         vdi_tensor_shape_text(bad, text));
}
#endif
