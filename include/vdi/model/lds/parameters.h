/* model/lds/parameters.h - the parameters of lds and plds: their layout in memory, their checks,
 * and their states
 *
 * Nothing public. One block of float64 holds all matrices, and a second block of the same size the
 * result of a step, which is checked as a whole before it replaces the first.
 */
#ifndef VDI_MODEL_LDS_PARAMETERS_H
#define VDI_MODEL_LDS_PARAMETERS_H
#include "../../core/alloc.h"
#include "../../core/field.h"
#include "../../core/state.h"
#include "../../linalg/table.h"
#endif /* VDI_MODEL_LDS_PARAMETERS_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_PARAMETERS_C)
#define VDI_MODEL_LDS_PARAMETERS_C

/* ---- the block ------------------------------------------------------------------------------- */

typedef struct vdi__block_row {
    const char *name;
    double **at;        /* the model's pointer to it */
    int64_t rows, cols; /* cols -1: a vector */
} vdi__block_row;

/* Lay the rows out from `base` on (NULL: only count), and name them in `tensors` (or NULL). How
 * many numbers. */
VDI__FN size_t vdi__block_layout(const vdi__block_row *row, int count, double *base,
                                 vdi_named_tensor *tensors) {
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        const bool vector = row[i].cols < 0;
        if (base) *row[i].at = base + at;
        if (base && tensors) {
            tensors[i].name = row[i].name;
            tensors[i].tensor = vector
                                    ? vdi_tensor_1d(base + at, VDI_F64, row[i].rows)
                                    : vdi_tensor_2d(base + at, VDI_F64, row[i].rows, row[i].cols);
        }
        at += (size_t)(row[i].rows * (vector ? 1 : row[i].cols));
    }
    return at;
}

/* Memory for a model of `head` bytes, the metadata of its state and both its blocks of `count`
 * numbers, all 0. */
typedef struct vdi__block {
    void *model;
    vdi_meta_list *meta;
    double *values, *update;
    size_t size; /* bytes in all */
} vdi__block;

VDI__FN vdi_status vdi__block_create(const vdi_allocator *a, size_t head, size_t count,
                                     const char *where, vdi__block *out, vdi_error *err) {
    const size_t first = vdi_align_size(head);
    const size_t second = vdi_align_size(sizeof(vdi_meta_list));
    out->size = vdi_add_size(first + second, vdi_mul_size(2 * sizeof(double), count));
    char *p = out->size == SIZE_MAX ? NULL : (char *)vdi_alloc(a, out->size);
    if (!p) {
        return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu bytes", out->size);
    }
    memset(p, 0, out->size);
    out->model = p;
    out->meta = (vdi_meta_list *)(void *)(p + first);
    out->values = (double *)(void *)(p + first + second);
    out->update = out->values + count;
    return VDI_OK;
}

/* The update becomes the parameters, if all of it is finite. */
VDI__FN vdi_status vdi__block_commit(size_t count, const double *update, double *values,
                                     const char *where, vdi_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (!vdi__is_finite(update[i])) {
            return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                                 "the step would make a parameter %g; it was undone", update[i]);
        }
    }
    memcpy(values, update, count * sizeof *values);
    return VDI_OK;
}

/* ---- what is checked of them ----------------------------------------------------------------- */

VDI__FN vdi_status vdi__parameter_finite(const vdi_named_tensor *p, const char *where,
                                         vdi_error *err) {
    if (vdi_tensor_count_nonfinite(p->tensor) == 0) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_DATA, where, "%s holds NaN or infinity", p->name);
}

/* Only one triangle of a covariance is read, so the other has to say the same, but for rounding to
 * float32. */
VDI__FN vdi_status vdi__covariance_symmetric(const char *name, int64_t n, const double *a,
                                             vdi_error *err) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < i; j++) {
            const double scale = sqrt(fabs(a[i * n + i])) * sqrt(fabs(a[j * n + j]));
            if (!(fabs(a[i * n + j] - a[j * n + i]) > 1e-6 * scale)) continue;
            return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_lds",
                                 "%s is not symmetric: [%lld,%lld] is %.9g, [%lld,%lld] %.9g", name,
                                 (long long)i, (long long)j, a[i * n + j], (long long)j,
                                 (long long)i, a[j * n + i]);
        }
    }
    return VDI_OK;
}

/* l (n,n) = the Cholesky factor of a covariance; the message names the parameter. */
VDI__FN vdi_status vdi__covariance_factor(const char *name, int64_t n, const double *a, double *l,
                                          vdi_error *err) {
    vdi_error inner = VDI__ZERO;
    const vdi_status status = vdi__covariance_symmetric(name, n, a, err);
    if (status < 0) return status;
    memcpy(l, a, (size_t)(n * n) * sizeof *l);
    if (vdi_cholesky(VDI_F64, (size_t)n, l, (size_t)n, &inner) < 0) {
        return vdi_error_set(err, VDI_ERR_NOT_POSITIVE_DEFINITE, "vdi_lds",
                             "%s is not positive definite: %s", name, inner.message);
    }
    return VDI_OK;
}

/* ---- roots ----------------------------------------------------------------------------------- */

/* X (rows,cols), cols >= rows, becomes a lower triangle L (rows,rows) with L L' = X X'. */
VDI__FN void vdi__lower_root(int64_t rows, int64_t cols, double *X, double *L) {
    for (int64_t i = 0; i < rows; i++) {
        double *x = X + i * cols + i;
        const size_t rest = (size_t)(cols - i);
        const double norm = sqrt(vdi_dot(VDI_F64, rest, x, x));
        for (int64_t k = 0; k < rows; k++) {
            if (k < i) L[k * rows + i] = 0;
        }
        L[i * rows + i] = norm;
        if (!(norm > 0)) {
            for (int64_t k = i + 1; k < rows; k++)
                L[k * rows + i] = 0;
            continue;
        }
        /* v = x -+ norm e; the sign is that of L's diagonal, made positive */
        const double sign = x[0] > 0 ? -1 : 1, v0 = x[0] - sign * norm;
        const double scale = 1 / (norm * fabs(v0));
        x[0] = v0;
        for (int64_t k = i + 1; k < rows; k++) {
            double *y = X + k * cols + i;
            vdi_axpby(VDI_F64, rest, -scale * vdi_dot(VDI_F64, rest, x, y), x, 1, y);
            L[k * rows + i] = sign * y[0];
        }
    }
}

/* A semidefinite V (n,n) in units of its own deviations: V = D W diag(w) W' D, with the w that are
 * 0 but for rounding made so. `work` holds VDI__ROOT_WORK(n): W (n,n), w (n) and D (n) stand in it
 * as below. */
#define VDI__ROOT_WORK(n) (3 * (n) * (n) + 2 * (n))
VDI__FN vdi_status vdi__semidefinite(const char *name, int64_t n, const double *V, double *work,
                                     vdi_error *err) {
    const size_t N = (size_t)n;
    double *W = work, *scratch = work + n * n, *X = work + 2 * n * n, *w = work + 3 * n * n;
    double *D = w + n;
    vdi_status status = vdi__covariance_symmetric(name, n, V, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < n; i++)
        D[i] = V[i * n + i] > 0 ? sqrt(V[i * n + i]) : 1;
    for (int64_t i = 0; i < n * n; i++)
        X[i] = V[i] / D[i / n] / D[i % n];
    status = vdi_eigh(VDI_F64, N, X, N, w, W, scratch, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < n; i++) {
        if (w[i] < -1e-10) {
            return vdi_error_set(err, VDI_ERR_NOT_POSITIVE_DEFINITE, "vdi_lds",
                                 "%s is not positive definite, nor semidefinite: its correlations "
                                 "have the eigenvalue %.3g",
                                 name, w[i]);
        }
        if (w[i] < 1e-15 * (double)n) w[i] = 0;
    }
    return VDI_OK;
}

/* L (n,n) lower, L L' = V. */
VDI__FN vdi_status vdi__semidefinite_root(const char *name, int64_t n, const double *V, double *L,
                                          double *work, vdi_error *err) {
    double *X = work + 2 * n * n, *w = work + 3 * n * n, *D = w + n;
    if (vdi__covariance_factor(name, n, V, L, NULL) == VDI_OK) return VDI_OK;
    const vdi_status status = vdi__semidefinite(name, n, V, work, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < n * n; i++)
        X[i] = D[i / n] * work[i] * sqrt(w[i % n]);
    vdi__lower_root(n, n, X, L);
    return VDI_OK;
}

/* ---- states ---------------------------------------------------------------------------------- */

/* What a model hands out to be saved: its parameters, its kind and its description. */
VDI__FN vdi_state vdi__parameters_state(vdi_named_tensor *tensors, int count, const char *kind,
                                        const vdi_fields *fields, const void *desc,
                                        vdi_meta_list *meta) {
    vdi_state s = VDI__ZERO;
    vdi_meta_clear(meta);
    /* kind and fields fit: the tests write them */
    (void)vdi_meta_put_text(meta, "model", kind);
    (void)vdi_fields_write(fields, desc, meta);
    s.tensors = tensors;
    s.tensor_count = count;
    s.meta = meta->meta;
    s.meta_count = meta->count;
    return s;
}

/* Are these the metadata of a model of that kind? */
VDI__FN vdi_status vdi__meta_check_kind(const vdi_meta *meta, int64_t count, const char *kind,
                                        const char *where, vdi_error *err) {
    const char *model = vdi_meta_find(meta, count, "model");
    if (model && strcmp(model, kind) == 0) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_FORMAT, where, "expected a model \"%s\", got \"%s\"", kind,
                         model ? model : "");
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* So many zeros out of an arena; *ok becomes false where there is no memory for them. */
VDI__FN double *vdi__take_reals(vdi_arena *arena, size_t count, bool *ok) {
    double *p = (double *)vdi_arena_calloc(arena, vdi_mul_size(count, sizeof *p));
    if (!p) *ok = false;
    return p;
}

VDI__FN int64_t *vdi__take_ints(vdi_arena *arena, size_t count, bool *ok) {
    int64_t *p = (int64_t *)vdi_arena_calloc(arena, vdi_mul_size(count, sizeof *p));
    if (!p) *ok = false;
    return p;
}
#endif
