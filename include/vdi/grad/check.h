/* grad/check.h - is the gradient right? Central differences, the adjoint identity, and the slope of
 * Taylor's remainder
 *
 * Do this:
 *     static vdi_var loss(vdi_tape *t, const vdi_var *x, void *user) {
 *         return vdi_var_sum(t, vdi_var_exp(t, x[0]));
 *     }
 *     vdi_check_desc desc = VDI__ZERO;
 *     desc.fn = loss;   x: packed float64
 *     desc.inputs = 1;
 *     desc.input = &x;
 *     vdi_check_report r;
 *     if (vdi_check_gradient(&desc, &r, &err) < 0 || r.worst > 1e-6) puts(r.text);
 *
 * The function under test is the model's own code, run in float64 on a separate tape. It may return
 * any shape; the check then uses its product with a fixed random cotangent. Inputs and parameters
 * are perturbed in place, one number at a time, and restored. The function has to be deterministic
 * (give it its random numbers as inputs), and smooth near the point: a kink within the step of a
 * difference shows as an error.
 *
 * A symmetric argument (the D of a blocktri, the A of a Cholesky) has to be built inside the
 * function from free numbers.
 */
#ifndef VDI_GRAD_CHECK_H
#define VDI_GRAD_CHECK_H
#include "../core/field.h"
#include "ops.h"
#include "params.h"

/** Builds a value from the inputs, and from the parameters through vdi_tape_param. */
typedef vdi_var (*vdi_check_fn)(vdi_tape *t, const vdi_var *input, void *user);

/** What to check. Zero is the default of each option. */
typedef struct vdi_check_desc {
    vdi_check_fn fn;         /**< the function under test */
    void *user;              /**< handed to it */
    int inputs;              /**< how many */
    const vdi_tensor *input; /**< packed float64; disturbed and put back */
    vdi_params *params;      /**< float64, or NULL; their gradients are overwritten */
    double step;             /**< of the differences, relative to max(1, |x|); they are of fourth
                                  order, so errors are near 1e-12 */
    int64_t most;            /**< entries checked of each tensor, evenly spread; 0: all */
    uint64_t seed;           /**< of cotangents and directions */
    vdi_allocator allocator; /**< default malloc and free */
} vdi_check_desc;
/** Its table: the fields that are numbers. */
VDI_API const vdi_fields *vdi_check_desc_fields(void);
/** The filled description, without a function. */
VDI_API vdi_check_desc vdi_check_desc_defaults(void);
/** VDI_OK, or which field is out of range, or missing. */
VDI_API vdi_status vdi_check_desc_check(const vdi_check_desc *desc, vdi_error *err);

/** What came out. */
typedef struct vdi_check_report {
    double worst;    /**< the largest |analytic - numeric| / max(|analytic|, |numeric|, largest
                          gradient / 100) */
    int64_t checked; /**< entries compared */
    int32_t tensor;  /**< where the worst stands: input, or inputs + parameter */
    int64_t index;   /**< packed index in it */
    double analytic; /**< the tape's derivative there */
    double numeric;  /**< the difference quotient there */
    char text[160];  /**< all of that as a sentence */
} vdi_check_report;

/** Every derivative against a five-point central difference. The status is that of the runs; judge
 * `worst`. */
VDI_API VDI_NODISCARD vdi_status vdi_check_gradient(const vdi_check_desc *desc,
                                                    vdi_check_report *report, vdi_error *err);
/** The identity <w, J v> = <J' w, v> for random v and w, with J v by differences: one number for
 * the whole Jacobian.
 *  *error: the difference relative to the larger side. */
VDI_API VDI_NODISCARD vdi_status vdi_check_adjoint(const vdi_check_desc *desc, double *error,
                                                   vdi_error *err);
/** log2 of how |f(x + h v) - f(x) - h g.v| falls as h is halved: 2 for a right gradient of a smooth
 * function, 1 for a wrong one.
 *  +inf if the remainder is lost in rounding from the start (a linear function). */
VDI_API VDI_NODISCARD vdi_status vdi_check_taylor(const vdi_check_desc *desc, double *slope,
                                                  vdi_error *err);

#endif /* VDI_GRAD_CHECK_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_CHECK_C)
#define VDI_GRAD_CHECK_C

static const vdi_field vdi__check_rows[] = {
    VDI_FIELD_INT32(vdi_check_desc, inputs, 0, 0, 1000000, "inputs of the function"),
    VDI_FIELD_REAL_FLAGS(vdi_check_desc, step, 1e-4, 0, 1, VDI_FIELD_ABOVE,
                         "of the differences, relative to max(1, |x|)"),
    VDI_FIELD_INT(vdi_check_desc, most, 0, 0, 1e15, "entries checked of each tensor; 0: all"),
    VDI_FIELD_SEED(vdi_check_desc, seed, "of cotangents and directions"),
};
static const vdi_fields vdi__check_table = {"vdi_check_desc", vdi__check_rows,
                                            (int)VDI__COUNT(vdi__check_rows)};

VDI__DEF const vdi_fields *vdi_check_desc_fields(void) { return &vdi__check_table; }

VDI__DEF vdi_check_desc vdi_check_desc_defaults(void) {
    vdi_check_desc d = VDI__ZERO;
    vdi_fields_fill(&vdi__check_table, &d);
    return d;
}

VDI__DEF vdi_status vdi_check_desc_check(const vdi_check_desc *desc, vdi_error *err) {
    const char *where = vdi__check_table.name;
    vdi_check_desc d = *desc;
    vdi_fields_fill(&vdi__check_table, &d);
    const vdi_status status = vdi_fields_check(&vdi__check_table, &d, err);
    if (status < 0) return status;
    if (!d.fn) return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "fn is NULL");
    if (d.inputs && !d.input) return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "input is NULL");
    for (int i = 0; i < d.inputs; i++) {
        if (d.input[i].dtype != VDI_F64 || !vdi_tensor_is_contiguous(d.input[i]))
            return vdi_error_set(err, VDI_ERR_DTYPE, where, "input %d is not packed float64", i);
    }
    if (d.params && d.params->dtype != VDI_F64)
        return vdi_error_set(err, VDI_ERR_DTYPE, where, "the parameters are not float64");
    return VDI_OK;
}

/* A check in progress: one tape, the cotangent, and all numbers that may be disturbed as a list of
 * tensors. */
typedef struct vdi__check {
    vdi_check_desc desc; /* filled */
    vdi_tape *tape;
    vdi_arena arena;
    int count; /* tensors */
    vdi_tensor *value, *grad;
    vdi_var *var;
    double *weight; /* the cotangent, 1 for a scalar */
    int64_t weights;
    double unit; /* 1 for central differences, 2 ... */
} vdi__check;

/* Value of <w, f>, NaN on failure; with `back` the gradients too. */
VDI__FN vdi_status vdi__check_run(vdi__check *c, bool back, double *value, vdi_error *err) {
    const vdi_check_desc *d = &c->desc;
    vdi_tape *t = c->tape;
    vdi_tape_reset(t);
    (void)vdi_tape_set_no_grad(t, !back);
    for (int i = 0; i < d->inputs; i++)
        c->var[i] = vdi_tape_variable(t, d->input[i]);
    vdi_tensor y = vdi_tape_value(t, d->fn(t, c->var, d->user));
    vdi_status status = vdi_tape_status(t, err);
    if (status < 0) return status;
    int64_t n = vdi_tensor_count(y);
    if (!vdi_tensor_ok(y) || y.dtype != VDI_F64 || (c->weight && n != c->weights)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, "vdi_check",
                             "the function gave no float64 value, or another shape than before");
    }
    if (!c->weight) {
        vdi_rng rng = vdi_rng_make(d->seed, 1);
        c->weight = (double *)vdi_arena_alloc(&c->arena, vdi_array_size(sizeof(double), n, 1, 1));
        if (!c->weight) {
            return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_check", "no memory for %lld weights",
                                 (long long)n);
        }
        c->weights = n;
        for (int64_t i = 0; i < n; i++)
            c->weight[i] = n == 1 ? 1 : vdi_rng_normal(&rng);
    }
    *value = 0;
    for (int64_t i = 0; i < n; i++)
        *value += c->weight[i] * ((const double *)y.data)[i];
    return VDI_OK;
}

VDI__FN vdi_status vdi__check_gradients(vdi__check *c, double *value, vdi_error *err) {
    const vdi_check_desc *d = &c->desc;
    vdi_status status = vdi__check_run(c, false, value, err);
    if (status < 0) return status;
    vdi_tape *t = c->tape;
    vdi_tape_reset(t);
    (void)vdi_tape_set_no_grad(t, false);
    if (d->params) vdi_params_zero_grad(d->params);
    for (int i = 0; i < d->inputs; i++)
        c->var[i] = vdi_tape_variable(t, d->input[i]);
    vdi_var y = d->fn(t, c->var, d->user);
    vdi_tensor w = vdi_tape_value(t, y);
    w.data = c->weight;
    if (vdi_tape_status(t, err) >= 0) (void)vdi_tape_backward_from(t, y, w);
    status = vdi_tape_status(t, err);
    for (int i = 0; i < c->count && status >= 0; i++) {
        vdi_tensor g =
            i < d->inputs ? vdi_tape_grad(t, c->var[i]) : d->params->item[i - d->inputs].grad;
        if (vdi_tensor_ok(g)) memcpy(c->grad[i].data, g.data, vdi_tensor_bytes(g));
    }
    return status;
}

VDI__FN vdi_status vdi__check_begin(vdi__check *c, const vdi_check_desc *desc, vdi_error *err) {
    static const char where[] = "vdi_check";
    vdi_tape_desc td = vdi_tape_desc_defaults();
    memset(c, 0, sizeof *c);
    vdi_status status = vdi_check_desc_check(desc, err);
    if (status < 0) return status;
    c->desc = *desc;
    vdi_fields_fill(&vdi__check_table, &c->desc);
    c->count = desc->inputs + (desc->params ? (int)desc->params->count : 0);
    td.dtype = VDI_F64;
    td.allocator = desc->allocator;
    vdi_arena_init(&c->arena, &desc->allocator, 0);
    status = vdi_tape_create(&td, &c->tape, err);
    if (status < 0) return status;
    const size_t n = (size_t)c->count;
    c->value = (vdi_tensor *)vdi_arena_calloc(&c->arena, vdi_mul_size(n, sizeof *c->value));
    c->grad = (vdi_tensor *)vdi_arena_calloc(&c->arena, vdi_mul_size(n, sizeof *c->grad));
    c->var = (vdi_var *)vdi_arena_calloc(&c->arena, vdi_mul_size(n, sizeof *c->var));
    for (int i = 0; i < c->count && c->value && c->grad && c->var; i++) {
        c->value[i] =
            i < desc->inputs ? desc->input[i] : desc->params->item[i - desc->inputs].value;
        c->grad[i] = vdi_arena_tensor(&c->arena, VDI_F64, c->value[i].ndim, c->value[i].shape);
        if (!vdi_tensor_ok(c->grad[i])) c->grad = NULL;
    }
    return c->value && c->grad && c->var
               ? VDI_OK
               : vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for the gradients");
}

VDI__FN void vdi__check_end(vdi__check *c) {
    vdi_tape_destroy(c->tape);
    vdi_arena_free(&c->arena);
}

/* Is it a tensor whose derivatives are wanted? */
VDI__FN bool vdi__check_moves(const vdi__check *c, int i) {
    return i < c->desc.inputs || !c->desc.params->item[i - c->desc.inputs].frozen;
}

/* (-f(2h) + 8 f(h) - 8 f(-h) + f(-2h)) / 12h along a direction: one entry, or v for all of them
 * (then entry is NULL). */
VDI__FN vdi_status vdi__check_difference(vdi__check *c, double *entry, double h, double *derivative,
                                         vdi_error *err) {
    static const double at[4] = {2, 1, -1, -2}, weight[4] = {-1, 8, -8, 1};
    double x = *entry, sum = 0, f = 0;
    vdi_status status = VDI_OK;
    for (int i = 0; i < 4 && status >= 0; i++) {
        *entry = x + at[i] * h;
        status = vdi__check_run(c, false, &f, err);
        sum += weight[i] * f;
    }
    *entry = x;
    *derivative = sum / (12 * h);
    return status;
}

VDI__DEF vdi_status vdi_check_gradient(const vdi_check_desc *desc, vdi_check_report *report,
                                       vdi_error *err) {
    vdi__check c;
    double value, largest = 0;
    memset(report, 0, sizeof *report);
    vdi_status status = vdi__check_begin(&c, desc, err);
    if (status >= 0) status = vdi__check_gradients(&c, &value, err);
    for (int i = 0; i < c.count && status >= 0; i++) {
        for (int64_t j = 0; vdi__check_moves(&c, i) && j < vdi_tensor_count(c.value[i]); j++)
            largest = VDI__MAX(largest, fabs(((double *)c.grad[i].data)[j]));
    }
    for (int i = 0; i < c.count && status >= 0; i++) {
        int64_t n = vdi_tensor_count(c.value[i]);
        int64_t stride = desc->most > 0 && n > desc->most ? n / desc->most : 1;
        for (int64_t j = 0; vdi__check_moves(&c, i) && j < n && status >= 0; j += stride) {
            double *x = (double *)c.value[i].data + j;
            double analytic = ((double *)c.grad[i].data)[j];
            double numeric;
            double h = c.desc.step * VDI__MAX(1, fabs(*x));
            status = vdi__check_difference(&c, x, h, &numeric, err);
            if (status < 0) break;
            double scale =
                VDI__MAX(VDI__MAX(fabs(analytic), fabs(numeric)), VDI__MAX(largest / 100, 1e-12));
            double worst = fabs(analytic - numeric) / scale;
            report->checked++;
            if (worst <= report->worst && report->checked > 1) continue; /* a NaN gets through */
            if (report->worst != report->worst) continue;
            report->worst = worst;
            report->tensor = i;
            report->index = j;
            report->analytic = analytic;
            report->numeric = numeric;
        }
    }
    if (status >= 0 && report->checked) {
        (void)vdi_text_format(
            report->text, sizeof report->text,
            "%s%s %d [%lld]: gradient %.9g, difference %.9g, relative error %.2g",
            report->tensor < desc->inputs ? "input"
                                          : desc->params->item[report->tensor - desc->inputs].name,
            report->tensor < desc->inputs ? "" : ", tensor", (int)report->tensor,
            (long long)report->index, report->analytic, report->numeric, report->worst);
    }
    vdi__check_end(&c);
    return status;
}

/* A random direction, kept behind the gradients: v and the place x came from. */
typedef struct vdi__check_line {
    double **x0, **v;
} vdi__check_line;

VDI__FN vdi_status vdi__check_aim(vdi__check *c, vdi__check_line *line, vdi_error *err) {
    vdi_rng rng = vdi_rng_make(c->desc.seed, 2);
    line->x0 = (double **)vdi_arena_calloc(&c->arena, (size_t)c->count * sizeof *line->x0);
    line->v = (double **)vdi_arena_calloc(&c->arena, (size_t)c->count * sizeof *line->v);
    for (int i = 0; line->x0 && line->v && i < c->count; i++) {
        size_t bytes = vdi_tensor_bytes(c->value[i]);
        line->x0[i] = (double *)vdi_arena_alloc(&c->arena, bytes);
        line->v[i] = (double *)vdi_arena_calloc(&c->arena, bytes);
        if (!line->x0[i] || !line->v[i])
            return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_check", "no memory for a direction");
        memcpy(line->x0[i], c->value[i].data, bytes);
        if (vdi__check_moves(c, i))
            vdi_rng_fill_normal(&rng, VDI_F64, vdi_tensor_count(c->value[i]), line->v[i]);
    }
    return line->x0 && line->v
               ? VDI_OK
               : vdi_error_set(err, VDI_ERR_MEMORY, "vdi_check", "no memory for a direction");
}

VDI__FN void vdi__check_move(vdi__check *c, const vdi__check_line *line, double h) {
    for (int i = 0; i < c->count; i++) {
        for (int64_t j = 0; j < vdi_tensor_count(c->value[i]); j++)
            ((double *)c->value[i].data)[j] = line->x0[i][j] + h * line->v[i][j];
    }
}

VDI__FN double vdi__check_along(const vdi__check *c, const vdi__check_line *line) {
    double s = 0;
    for (int i = 0; i < c->count; i++) {
        for (int64_t j = 0; j < vdi_tensor_count(c->value[i]); j++)
            s += ((double *)c->grad[i].data)[j] * line->v[i][j];
    }
    return s;
}

VDI__DEF vdi_status vdi_check_adjoint(const vdi_check_desc *desc, double *error, vdi_error *err) {
    static const double at[4] = {2, 1, -1, -2}, weight[4] = {-1, 8, -8, 1};
    vdi__check c;
    vdi__check_line line = VDI__ZERO;
    double f = 0, sum = 0;
    *error = NAN;
    vdi_status status = vdi__check_begin(&c, desc, err);
    if (status >= 0) status = vdi__check_gradients(&c, &f, err);
    if (status >= 0) status = vdi__check_aim(&c, &line, err);
    const bool moved = status >= 0;
    const double h = c.desc.step;
    for (int i = 0; i < 4 && status >= 0; i++) {
        vdi__check_move(&c, &line, at[i] * h);
        status = vdi__check_run(&c, false, &f, err);
        sum += weight[i] * f / (12 * h);
    }
    if (moved) vdi__check_move(&c, &line, 0);
    if (status >= 0) {
        double back = vdi__check_along(&c, &line);
        *error = fabs(sum - back) / VDI__MAX(VDI__MAX(fabs(sum), fabs(back)), 1e-300);
    }
    vdi__check_end(&c);
    return status;
}

VDI__DEF vdi_status vdi_check_taylor(const vdi_check_desc *desc, double *slope, vdi_error *err) {
    enum { HALVINGS = 12 };
    vdi__check c;
    vdi__check_line line = VDI__ZERO;
    double f0 = 0;
    double f = 0;
    double r[HALVINGS];
    double floor_ = 0;
    double length = 0;
    int n = 0;
    *slope = NAN;
    vdi_status status = vdi__check_begin(&c, desc, err);
    if (status >= 0) status = vdi__check_gradients(&c, &f0, err);
    if (status >= 0) status = vdi__check_aim(&c, &line, err);
    bool moved = status >= 0;
    if (status >= 0) {
        double along = vdi__check_along(&c, &line);
        for (int i = 0; i < c.count; i++)
            length += vdi_dot(VDI_F64, (size_t)vdi_tensor_count(c.value[i]), line.v[i], line.v[i]);
        double h = 0.01 / VDI__MAX(sqrt(length), 1e-300);
        floor_ = 1e-13 * (fabs(f0) + fabs(along) * h + 1e-3);
        for (; n < HALVINGS && status >= 0; h *= 0.5) {
            vdi__check_move(&c, &line, h);
            status = vdi__check_run(&c, false, &f, err);
            r[n] = fabs(f - f0 - h * along);
            if (r[n] < floor_) break; /* rounding from here on */
            n++;
        }
    }
    if (moved) vdi__check_move(&c, &line, 0);
    if (status >= 0) *slope = n < 2 ? INFINITY : log2(r[0] / r[n - 1]) / (n - 1);
    vdi__check_end(&c);
    return status;
}
#endif
