/* model/lds/filter.h - one bin at a time: a Kalman filter for an instrument or a robot
 *
 * Do this:
 *     vdi_lds_filter f;
 *     void *block = malloc(vdi_lds_filter_memsize(lds));
 *     vdi_lds_filter_init(&f, lds, block, vdi_lds_filter_memsize(lds), &err);
 *     for (;;) {                                              once a bin
 *         vdi_lds_step(&f, y, NULL, &err);                    y (n), NaN where nothing came
 *         printf("%g %g\n", f.mean[0], f.log_likelihood);
 *     }
 *
 * A step is vdi_lds_predict and vdi_lds_update; between the two, vdi_lds_measurement gives the
 * predicted measurement, and vdi_lds_distance the distance of a candidate from it, for gating. The
 * state is a square root of the covariance (root.h), so the covariance stays positive semidefinite
 * in any number of steps, and Q, Q0 and R may be semidefinite. The numbers are those of
 * vdi_lds_smooth's filter.
 * Memory: the caller's block; nothing is allocated. The model's parameters are read in each step, Q
 * and
 * Q0 in vdi_lds_filter_init alone. Threads: one filter per thread; they may share a model.
 */
#ifndef VDI_MODEL_LDS_FILTER_H
#define VDI_MODEL_LDS_FILTER_H
#include "root.h"

/** A filter: read what is public after each call. */
typedef struct vdi_lds_filter {
    const vdi_lds *lds;    /**< the model; it has to outlive the filter */
    int64_t t;             /**< bins predicted so far; the bin at hand is t - 1 */
    double *mean;          /**< (d): of the latents, given all that was taken in */
    double *cov;           /**< (d,d) */
    double log_likelihood; /**< log p(y_t | y_1 .. y_{t-1}) of the last bin taken in, nats */
    double total;          /**< its sum over bins */
    double distance;       /**< of the last y, see vdi_lds_distance */
    double gate;   /**< yours to set: a y at a distance above it is not taken in; 0: all are */
    bool rejected; /**< the last y was not taken in */
    /* private */
    double *root, *before; /* (d,d), (d): of the prediction */
    double *values;        /* (n): y less what is known of it */
    double *mask;          /* (n) */
    void *work;
} vdi_lds_filter;

/** Bytes for vdi_lds_filter_init. */
VDI_API size_t vdi_lds_filter_memsize(const vdi_lds *lds);
/** Begin before the first bin. `block` has to be aligned for a double. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_filter_init(vdi_lds_filter *f, const vdi_lds *lds,
                                                     void *block, size_t size, vdi_error *err);
/** On to the next bin: mean and cov are predictions then. u (inputs), NULL: 0; the first bin's acts
 * on y alone. */
VDI_API void vdi_lds_predict(vdi_lds_filter *f, const double *u);
/** After vdi_lds_predict: mean (n) and covariance (n,n) of the y to come; NULL: not wanted. */
VDI_API void vdi_lds_measurement(vdi_lds_filter *f, const double *u, double *y_mean, double *y_cov);
/** After vdi_lds_predict: *distance = (y - E y)' Cov(y)^{-1} (y - E y) over the values of y (n)
 * that are not NaN; chi-squared with so many degrees of freedom if the model is right. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_distance(vdi_lds_filter *f, const double *y,
                                                  const double *u, double *distance,
                                                  vdi_error *err);
/** Take y (n) in; NaN where nothing came, NULL for a bin without a value. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_update(vdi_lds_filter *f, const double *y, const double *u,
                                                vdi_error *err);
/** After vdi_lds_update: the standardised innovations e (n) of y, as vdi_lds_innovations has them;
 * NaN where nothing came. */
VDI_API void vdi_lds_innovation(const vdi_lds_filter *f, double *e);
/** vdi_lds_predict and vdi_lds_update. */
VDI_API VDI_NODISCARD vdi_status vdi_lds_step(vdi_lds_filter *f, const double *y, const double *u,
                                              vdi_error *err);

#endif /* VDI_MODEL_LDS_FILTER_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_FILTER_C)
#define VDI_MODEL_LDS_FILTER_C

VDI__FN size_t vdi__lds_filter_layout(vdi_lds_filter *f, const vdi_lds *lds, char *base) {
    const size_t d = (size_t)lds->desc.d, n = (size_t)lds->desc.n;
    const size_t head = vdi_align_size(sizeof(vdi__root));
    vdi__root *q = (vdi__root *)(void *)base;
    vdi__root none;
    size_t at = vdi__root_layout(base ? q : &none, lds->desc.d, lds->desc.n, lds->desc.diagonal_r,
                                 base ? base + head : NULL);
    at += head;
    if (base) {
        double *x = (double *)(void *)(base + at);
        f->work = q;
        f->mean = x;
        f->before = x + d;
        f->cov = x + 2 * d;
        f->root = f->cov + d * d;
        f->values = f->root + d * d;
        f->mask = f->values + n;
    }
    return at + (2 * d + 2 * d * d + 2 * n) * sizeof(double);
}

VDI__DEF size_t vdi_lds_filter_memsize(const vdi_lds *lds) {
    vdi_lds_filter none;
    return vdi__lds_filter_layout(&none, lds, NULL);
}

VDI__DEF vdi_status vdi_lds_filter_init(vdi_lds_filter *f, const vdi_lds *lds, void *block,
                                        size_t size, vdi_error *err) {
    const size_t needed = vdi_lds_filter_memsize(lds);
    memset(f, 0, sizeof *f);
    if (size < needed || !block || (uintptr_t)block % sizeof(double) != 0) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_lds_filter_init",
                             "the block has %zu bytes, expected %zu, aligned for a double",
                             block ? size : 0, needed);
    }
    memset(block, 0, needed);
    f->lds = lds;
    (void)vdi__lds_filter_layout(f, lds, (char *)block);
    memcpy(f->mean, lds->x0, (size_t)lds->desc.d * sizeof(double));
    return vdi__root_begin((vdi__root *)f->work, lds, err);
}

VDI__DEF void vdi_lds_predict(vdi_lds_filter *f, const double *u) {
    const size_t d = (size_t)f->lds->desc.d, U = (size_t)f->lds->desc.inputs;
    vdi__root *q = (vdi__root *)f->work;
    vdi__root_ahead(q, f->t == 0);
    if (f->t > 0) {
        memcpy(f->before, f->mean, d * sizeof(double));
        vdi_gemv(VDI_F64, 0, d, d, f->lds->A, d, f->before, f->mean);
        if (u && U) vdi_gemv(VDI_F64, VDI_GEMM_ACC, d, U, f->lds->B, U, u, f->mean);
    }
    memcpy(f->root, q->S, d * d * sizeof(double));
    memcpy(f->before, f->mean, d * sizeof(double));
    vdi__root_square(q, f->cov);
    f->t++;
}

/* y = C z + D u + b, all of it if u is given. */
VDI__FN void vdi__lds_emit(const vdi_lds *p, const double *z, const double *u, double *y) {
    const size_t n = (size_t)p->desc.n, d = (size_t)p->desc.d, U = (size_t)p->desc.inputs;
    memcpy(y, p->b, n * sizeof *y);
    vdi_gemv(VDI_F64, VDI_GEMM_ACC, n, d, p->C, d, z, y);
    if (u && U) vdi_gemv(VDI_F64, VDI_GEMM_ACC, n, U, p->D, U, u, y);
}

VDI__DEF void vdi_lds_measurement(vdi_lds_filter *f, const double *u, double *y_mean,
                                  double *y_cov) {
    const vdi_lds *p = f->lds;
    const int64_t n = p->desc.n, d = p->desc.d;
    vdi__root *q = (vdi__root *)f->work;
    if (y_mean) vdi__lds_emit(p, f->before, u, y_mean);
    for (int64_t i = 0; y_cov && i < n; i++) { /* row i of (C S) (C S)' + R */
        const double *ci = p->C + i * d;
        vdi_gemv(VDI_F64, VDI_GEMM_TA, (size_t)d, (size_t)d, f->root, (size_t)d, ci, q->f);
        vdi_gemv(VDI_F64, 0, (size_t)d, (size_t)d, f->root, (size_t)d, q->f, q->work);
        for (int64_t j = 0; j < n; j++) {
            const bool none = p->desc.diagonal_r && i != j;
            y_cov[i * n + j] =
                vdi_dot(VDI_F64, (size_t)d, p->C + j * d, q->work) + (none ? 0 : p->R[i * n + j]);
        }
    }
}

/* The gains for y at what is predicted, and the mean given y in f->mean. */
VDI__FN vdi_status vdi__lds_filter_take(vdi_lds_filter *f, const double *y, const double *u,
                                        vdi_error *err) {
    const vdi_lds *p = f->lds;
    const int64_t n = p->desc.n, d = p->desc.d, U = p->desc.inputs;
    vdi__root *q = (vdi__root *)f->work;
    int64_t which = 0;
    for (int64_t j = 0; j < n; j++) {
        const double x = y ? y[j] - p->b[j] : 0;
        f->mask[j] = y && y[j] == y[j];
        f->values[j] = f->mask[j] > 0 ? x : 0;
        if (u && U > 0) f->values[j] -= vdi_dot(VDI_F64, (size_t)U, p->D + j * U, u);
    }
    const vdi_status status = vdi__root_see(q, f->mask, err);
    if (status < 0) return status;
    memcpy(q->S, f->root, (size_t)(d * d) * sizeof(double));
    memcpy(f->mean, f->before, (size_t)d * sizeof(double));
    if (!vdi__root_gains(q, &which)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_lds_update",
                             "bin %lld: a value is determined by those before it (no noise in R, "
                             "none in the latents), and has no density",
                             (long long)f->t - 1);
    }
    vdi__root_values(q, f->values);
    f->distance = vdi__root_update(q, f->mean);
    return VDI_OK;
}

/* Back to the prediction. */
VDI__FN void vdi__lds_filter_undo(vdi_lds_filter *f) {
    const size_t d = (size_t)f->lds->desc.d;
    memcpy(((vdi__root *)f->work)->S, f->root, d * d * sizeof(double));
    memcpy(f->mean, f->before, d * sizeof(double));
}

VDI__DEF vdi_status vdi_lds_distance(vdi_lds_filter *f, const double *y, const double *u,
                                     double *distance, vdi_error *err) {
    const vdi_status status = vdi__lds_filter_take(f, y, u, err);
    *distance = f->distance;
    vdi__lds_filter_undo(f);
    return status;
}

VDI__DEF vdi_status vdi_lds_update(vdi_lds_filter *f, const double *y, const double *u,
                                   vdi_error *err) {
    const vdi__root *q = (const vdi__root *)f->work;
    const vdi_status status = vdi__lds_filter_take(f, y, u, err);
    const bool finite = status == VDI_OK && vdi__is_finite(f->distance);
    f->rejected = f->gate > 0 && !(f->distance <= f->gate);
    if (!finite || f->rejected) vdi__lds_filter_undo(f);
    if (status < 0) return status;
    if (!finite) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_lds_update",
                             "bin %lld: y is not finite; it was not taken in", (long long)f->t - 1);
    }
    f->log_likelihood = f->rejected ? 0 : q->jacobian - 0.5 * (q->log_s + f->distance);
    f->total += f->log_likelihood;
    vdi__root_square(q, f->cov);
    return VDI_OK;
}

VDI__DEF void vdi_lds_innovation(const vdi_lds_filter *f, double *e) {
    const vdi__root *q = (const vdi__root *)f->work;
    for (int64_t j = 0; j < f->lds->desc.n; j++)
        e[j] = (double)NAN;
    for (int64_t j = 0; j < q->m; j++)
        e[q->seen[j]] = q->v[j] / sqrt(q->s[j]);
}

VDI__DEF vdi_status vdi_lds_step(vdi_lds_filter *f, const double *y, const double *u,
                                 vdi_error *err) {
    vdi_lds_predict(f, u);
    return vdi_lds_update(f, y, u, err);
}
#endif
