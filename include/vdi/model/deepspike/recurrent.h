/* model/deepspike/recurrent.h - the forward unit of a correlated posterior, which reads the spike
 * that was drawn in the bin before
 *
 * Declares nothing.
 */
#ifndef VDI_MODEL_DEEPSPIKE_RECURRENT_H
#define VDI_MODEL_DEEPSPIKE_RECURRENT_H
#include "deepspike.h"

#endif

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_RECURRENT_C)
#define VDI_MODEL_DEEPSPIKE_RECURRENT_C

/* `rows` trains of one length, each with its own input products or all with the same (then the
   steps between rows are 0). Time-major: train, probability (T,rows), h (T,rows,H), gates
   (T,rows,4H). */
typedef struct vdi__ds_rnn {
    vdi_dtype dtype;
    int64_t rows, T, H;
    const char *input, *odds;      /* (T,3H), (T): of row 0 */
    int64_t input_step, odds_step; /* elements to the next row's */
    int64_t input_next, odds_next; /* elements to the next bin's */
    int64_t share;                 /* rows in a row that read the same (0: 1): the next `share` rows
                                      read the next */
    bool in_place;                 /* input (T,rows,3H) may be used up: no row is copied */
    bool goes_on;                  /* h holds a state, and train begins behind a bin that was drawn:
                                      not the first block of a trace */
    const void *w_hh, *b_hh, *w_spike, *w_state;
    double floor;
    void *train, *probability; /* train: drawn here where `uniform` is given, else read */
    const void *uniform;
    void *h, *gates;                          /* gates NULL: h is one state (rows,H) */
    void *input_now, *input_spike, *work, *z; /* (rows,3H), (3H), (rows,3H), (rows) */
} vdi__ds_rnn;

VDI__FN vdi__ds_rnn vdi__ds_rnn_of(const vdi_deepspike *m, int64_t rows, int64_t T) {
    vdi__ds_rnn r = VDI__ZERO;
    if (m->desc.posterior == VDI_DEEPSPIKE_FACTORISED) return r; /* it has no such parameters */
    const vdi_param *rnn = m->params->item + m->rnn;
    r.dtype = m->desc.dtype;
    r.rows = rows;
    r.T = T;
    r.H = m->desc.hidden;
    r.input_next = 3 * r.H;
    r.odds_next = 1;
    r.w_hh = rnn[VDI__DS_FORWARD + 2].value.data;
    r.b_hh = rnn[VDI__DS_FORWARD + 3].value.data;
    r.w_spike = rnn[VDI__DS_SPIKE].value.data;
    r.w_state = rnn[VDI__DS_STATE].value.data;
    r.floor = m->desc.floor;
    return r;
}
VDI__FN bool vdi__ds_rnn_reserve(vdi__ds_rnn *r, vdi_arena *a, bool keep) {
    const size_t size = vdi_dtype_size(r->dtype);
    const size_t rows = (size_t)r->rows;
    const size_t H = (size_t)r->H;
    const size_t T = (size_t)r->T;
    r->h = vdi_arena_alloc(a, (keep ? T : 1) * rows * H * size);
    r->gates = keep ? vdi_arena_alloc(a, T * rows * 4 * H * size) : NULL;
    r->input_now = vdi_arena_alloc(a, rows * 3 * H * size);
    r->input_spike = vdi_arena_alloc(a, 3 * H * size);
    r->work = vdi_arena_alloc(a, rows * 3 * H * size);
    r->z = vdi_arena_alloc(a, rows * size);
    r->probability = vdi_arena_alloc(a, T * rows * size);
    r->train = vdi_arena_alloc(a, T * rows * size);
    return r->h && (r->gates || !keep) && r->input_now && r->input_spike && r->work && r->z &&
           r->probability && r->train;
}

/* probability = sigmoid(z) held in [floor, 1 - floor], of n log odds */
VDI__FN void vdi__ds_probability(vdi_dtype dtype, double floor_, int64_t n, const void *z,
                                 void *p) {
    vdi_sigmoid(dtype, (size_t)n, z, p);
    vdi_clip(dtype, (size_t)n, floor_, 1 - floor_, p, p);
}
/* train = uniform < probability; `step` 1, or 0 for one row of probabilities for all */
VDI__FN void vdi__ds_draw(vdi_dtype dtype, int64_t n, const void *uniform, const void *p,
                          void *train) {
    if (dtype == VDI_F32) {
        const float *u = (const float *)uniform, *q = (const float *)p;
        float *s = (float *)train;
        for (int64_t i = 0; i < n; i++)
            s[i] = u[i] < q[i] ? 1.0f : 0.0f;
    } else {
        const double *u = (const double *)uniform, *q = (const double *)p;
        double *s = (double *)train;
        for (int64_t i = 0; i < n; i++)
            s[i] = u[i] < q[i] ? 1.0 : 0.0;
    }
}

/* One step for all rows: bin t, from the state `before` (NULL: zero) to `after`. */
VDI__FN void vdi__ds_rnn_step(const vdi__ds_rnn *r, int64_t t, const void *before, void *after,
                              void *gates) {
    const vdi_dtype dtype = r->dtype;
    const int64_t size = (int64_t)vdi_dtype_size(dtype), H3 = 3 * r->H;
    const char *last = t || r->goes_on ? (const char *)r->train + (t - 1) * r->rows * size : NULL;
    char *z = (char *)r->z;
    char *p = (char *)r->probability + t * r->rows * size;
    char *s = (char *)r->train + t * r->rows * size;
    const bool shared = r->input_step == 0;
    const char *x = r->input + t * r->input_next * size;
    char *now = r->in_place ? (char *)(uintptr_t)x : (char *)r->input_now;
    const int64_t share = r->share ? r->share : 1;
    if (shared && last) { /* what a row reads depends on its last spike alone */
        memcpy(r->input_spike, x, (size_t)(H3 * size));
        vdi_axpby(dtype, (size_t)H3, 1, r->w_spike, 1, r->input_spike);
    }
    for (int64_t k = 0; k < r->rows; k++) {
        char *to = now + k * H3 * size;
        const bool spike =
            last && (dtype == VDI_F32 ? ((const float *)(const void *)last)[k] != 0
                                      : ((const double *)(const void *)last)[k] != 0);
        if (!r->in_place) {
            memcpy(to,
                   shared && spike ? (const char *)r->input_spike
                                   : x + k / share * r->input_step * size,
                   (size_t)(H3 * size));
        }
        if (spike && !shared) vdi_axpby(dtype, (size_t)H3, 1, r->w_spike, 1, to);
        memcpy(z + k * size, r->odds + (t * r->odds_next + k / share * r->odds_step) * size,
               (size_t)size);
    }
    if (!before) {
        memset(after, 0, (size_t)(r->rows * r->H * size));
        before = after;
    }
    vdi_gru_step(dtype, (size_t)r->rows, (size_t)r->H, now, r->w_hh, r->b_hh, before, r->work,
                 after, gates);
    for (int64_t k = 0; k < r->rows; k++) {
        vdi_dtype_store(dtype, z, k,
                        vdi_dtype_load(dtype, z, k) + vdi_dot(dtype, (size_t)r->H,
                                                              (const char *)after + k * r->H * size,
                                                              r->w_state));
    }
    vdi__ds_probability(dtype, r->floor, r->rows, z, p);
    if (r->uniform)
        vdi__ds_draw(dtype, r->rows, (const char *)r->uniform + t * r->rows * size, p, s);
}
VDI__FN void vdi__ds_rnn_run(const vdi__ds_rnn *r) {
    const int64_t state = r->rows * r->H * (int64_t)vdi_dtype_size(r->dtype);
    for (int64_t t = 0; t < r->T; t++) {
        if (r->gates) {
            vdi__ds_rnn_step(r, t, t ? (const char *)r->h + (t - 1) * state : NULL,
                             (char *)r->h + t * state, (char *)r->gates + 4 * t * state);
        } else {
            vdi__ds_rnn_step(r, t, t || r->goes_on ? r->h : NULL, r->h, NULL);
        }
    }
}

/* w_hh (H,3H), b_hh (3H), weight_spike (3H), weight_state (H) */
VDI__FN int64_t vdi__ds_rnn_size(int64_t H) { return 3 * H * H + 7 * H; }

/* The derivative of sum dz . log odds through the forward unit; dz (T,rows). weights: see
 * vdi__ds_rnn_size, added to. */
VDI__FN bool vdi__ds_rnn_back(const vdi__ds_rnn *r, const void *dz, char *d_input, char *d_odds,
                              char *weights, vdi_arena *a) {
    const vdi_dtype dtype = r->dtype;
    const size_t size = vdi_dtype_size(dtype);
    const size_t H = (size_t)r->H;
    const size_t rows = (size_t)r->rows;
    const size_t T = (size_t)r->T;
    char *dh = (char *)vdi_arena_alloc(a, T * rows * H * size);
    char *dx = (char *)vdi_arena_calloc(a, T * rows * 3 * H * size);
    void *work = vdi_arena_alloc(a, vdi_gru_backward_work(T, rows, H) * size);
    char *two = (char *)vdi_arena_alloc(a, 2 * rows * size);
    char *pair = (char *)vdi_arena_alloc(a, 6 * H * size);
    if (!dh || !dx || !work || !two || !pair) return false;
    char *dw = weights;
    char *db = dw + 3 * H * H * size;
    char *d_spike = db + 3 * H * size;
    char *d_state = d_spike + 3 * H * size;
    vdi_gemm(dtype, 0, T * rows, H, 1, dz, 1, r->w_state, H, dh, H);
    vdi_gemv(dtype, VDI_GEMM_TA | VDI_GEMM_ACC, T * rows, H, r->h, H, dz, d_state);
    vdi_gru_backward(dtype, T, rows, H, false, r->w_hh, NULL, r->h, r->gates, dh, work, dx, dw, db,
                     NULL);
    const bool shared = r->input_step == 0;
    vdi_fill(dtype, rows, 1, two);
    for (size_t t = 0; t < T; t++) {
        const char *from = dx + t * rows * 3 * H * size, *z = (const char *)dz + t * rows * size;
        const char *last = t ? (const char *)r->train + (t - 1) * rows * size : NULL;
        if (shared) { /* the sum over rows, and over those that follow a spike */
            if (last) memcpy(two + rows * size, last, rows * size);
            vdi_gemm(dtype, 0, last ? 2 : 1, 3 * H, rows, two, rows, from, 3 * H, pair, 3 * H);
            memcpy(d_input + t * 3 * H * size, pair, 3 * H * size);
            if (last) vdi_axpby(dtype, 3 * H, 1, pair + 3 * H * size, 1, d_spike);
            vdi_sum_rows(dtype, rows, 1, z, 1, false, d_odds + t * size);
            continue;
        }
        if (last)
            vdi_gemv(dtype, VDI_GEMM_TA | VDI_GEMM_ACC, rows, 3 * H, from, 3 * H, last, d_spike);
        for (size_t k = 0; k < rows; k++) {
            memcpy(d_input + (k * (size_t)r->input_step + t * 3 * H) * size,
                   from + k * 3 * H * size, 3 * H * size);
            memcpy(d_odds + (k * (size_t)r->odds_step + t) * size, z + k * size, size);
        }
    }
    return true;
}
#endif
