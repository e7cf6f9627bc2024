/* model/lds/root.h - the square-root form of the Kalman filter of lds
 *
 * Nothing public. P = S S' throughout, so that Q, Q0 and R may be semidefinite (a known start, a
 * sum without noise, the companion form of an autoregression), and numbers many digits apart lose
 * none:
 *
 *     ahead:   S = lower triangle of (A S, Q^{1/2})                    by reflections
 *     scalar y = c'z + N(0,r):  f = S'c,  s = f'f + r,  k = S f / s,
 *     S -= S f f' / (s + sqrt(r s))
 *
 * The values of a bin are taken one after another, as they are where R is diagonal, else after a
 * change of coordinates T in which their noise is independent: T = L^{-1} if R has a Cholesky
 * factor L, else the eigenvectors of its correlations.
 * Source: Potter 1963 (Bierman 1977, V.2); Koopman and Durbin 2000 for scalars in turn.
 */
#ifndef VDI_MODEL_LDS_ROOT_H
#define VDI_MODEL_LDS_ROOT_H
#include "lds.h"
#endif /* VDI_MODEL_LDS_ROOT_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_ROOT_C)
#define VDI_MODEL_LDS_ROOT_C

typedef struct vdi__root {
    int64_t d, n;
    bool diagonal; /* R */
    const double *A, *C, *R;
    double *Lq, *L0; /* (d,d): roots of Q, Q0 */
    double *S;       /* (d,d): of the state's covariance */
    double *wide;    /* (d,2d) scratch */
    /* the read-out of the channels seen last, in coordinates with independent noise */
    int64_t m, *seen; /* how many, and which (n) */
    double *T;        /* (m,m) */
    double *c, *r;    /* (m,d), (m) */
    double jacobian;  /* log|T| */
    bool known;       /* it is there */
    /* of the bin at hand */
    double *gain, *s; /* (m,d), (m); f_i'f_i + r_i */
    double *y, *v;    /* (m): the values, and how far they are from what was predicted */
    double log_s;     /* sum of log 2 pi s */
    double *f, *work; /* (d); VDI__ROOT_WORK(d), of max(n,d) where R is full */
} vdi__root;

/* Lay it out from `base` on (NULL: only count the bytes). A diagonal R takes no square of n. */
VDI__FN size_t vdi__root_layout(vdi__root *q, int64_t d, int64_t n, bool diagonal, char *base) {
    const size_t D = (size_t)d, N = (size_t)n, square = diagonal ? 0 : N;
    const size_t k = VDI__MAX(square, D);
    size_t at = 0;
    struct {
        double **to;
        size_t count;
    } row[] = {{&q->Lq, D * D},
               {&q->L0, D * D},
               {&q->S, D * D},
               {&q->wide, 2 * D * D},
               {&q->T, square * square},
               {&q->c, N * D},
               {&q->r, N},
               {&q->gain, N * D},
               {&q->s, N},
               {&q->y, N},
               {&q->v, N},
               {&q->f, D},
               {&q->work, VDI__ROOT_WORK(k)}};
    q->d = d;
    q->n = n;
    q->diagonal = diagonal;
    for (size_t i = 0; i < VDI__COUNT(row); i++) {
        if (base) *row[i].to = (double *)(void *)(base + at);
        at += row[i].count * sizeof(double);
    }
    if (base) q->seen = (int64_t *)(void *)(base + at);
    return at + N * sizeof(int64_t);
}

/* ---- the read-out ---------------------------------------------------------------------------- */

/* T and r of the channels seen, for a full R. */
VDI__FN vdi_status vdi__root_rotate(vdi__root *q, vdi_error *err) {
    const int64_t m = q->m, n = q->n;
    const size_t M = (size_t)m;
    double *gathered = q->T, *L = q->work, *w = q->work + 3 * m * m, *D = w + m;
    for (int64_t i = 0; i < m * m; i++)
        gathered[i] = q->R[q->seen[i / m] * n + q->seen[i % m]];
    if (vdi__covariance_factor("R", m, gathered, L, NULL) == VDI_OK) {
        q->jacobian = -0.5 * vdi_cholesky_logdet(VDI_F64, M, L, M);
        for (int64_t i = 0; i < m * m; i++)
            q->T[i] = i / m == i % m;
        vdi_trsm(VDI_F64, VDI_TRSM_LOWER, M, M, L, M, q->T, M);
        for (int64_t i = 0; i < m; i++)
            q->r[i] = 1;
        return VDI_OK;
    }
    const vdi_status status = vdi__semidefinite("R", m, gathered, q->work, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < m * m; i++)
        q->T[i] = q->work[i % m * m + i / m] / D[i % m];
    for (int64_t i = 0; i < m; i++) {
        q->r[i] = w[i];
        q->jacobian -= log(D[i]);
    }
    return VDI_OK;
}

/* The read-out of the channels where `mask` (n) is not 0; NULL: of all. Nothing is done for those
 * of the bin before. */
VDI__FN vdi_status vdi__root_see(vdi__root *q, const double *mask, vdi_error *err) {
    const int64_t n = q->n, d = q->d;
    int64_t m = 0;
    bool same = q->known;
    for (int64_t j = 0; j < n; j++) {
        if (mask && mask[j] == 0) continue;
        same = same && m < q->m && q->seen[m] == j;
        q->seen[m++] = j;
    }
    if (same && m == q->m) return VDI_OK;
    q->m = m;
    q->known = false;
    q->jacobian = 0;
    if (q->diagonal) {
        for (int64_t i = 0; i < m; i++) {
            q->r[i] = q->R[q->seen[i] * (n + 1)];
            memcpy(q->c + i * d, q->C + q->seen[i] * d, (size_t)d * sizeof(double));
        }
    } else if (m > 0) {
        const vdi_status status = vdi__root_rotate(q, err);
        if (status < 0) return status;
        for (int64_t i = 0; i < m; i++)
            memcpy(q->gain + i * d, q->C + q->seen[i] * d, (size_t)d * sizeof(double));
        vdi_gemm(VDI_F64, 0, (size_t)m, (size_t)d, (size_t)m, q->T, (size_t)m, q->gain, (size_t)d,
                 q->c, (size_t)d);
    }
    q->known = true;
    return VDI_OK;
}

/* y = T (the channels seen of x). */
VDI__FN void vdi__root_values(vdi__root *q, const double *x) {
    const size_t m = (size_t)q->m;
    double *to = q->diagonal ? q->y : q->v;
    for (int64_t i = 0; i < q->m; i++)
        to[i] = x[q->seen[i]];
    if (!q->diagonal && m > 0) vdi_gemv(VDI_F64, 0, m, m, q->T, m, to, q->y);
}

/* ---- the recursion --------------------------------------------------------------------------- */

/* The parameters; q's scratch is laid out. */
VDI__FN vdi_status vdi__root_begin(vdi__root *q, const vdi_lds *p, vdi_error *err) {
    q->A = p->A;
    q->C = p->C;
    q->R = p->R;
    q->known = false;
    q->m = 0;
    vdi_status status = vdi__semidefinite_root("Q", q->d, p->Q, q->Lq, q->work, err);
    if (status == VDI_OK) status = vdi__semidefinite_root("Q0", q->d, p->Q0, q->L0, q->work, err);
    if (status < 0) return status;
    return q->diagonal ? vdi__lds_check_variances(p, err)
                       : vdi__covariance_symmetric("R", q->n, p->R, err);
}

/* S of the first bin, or from that of the bin before. */
VDI__FN void vdi__root_ahead(vdi__root *q, bool first) {
    const size_t d = (size_t)q->d;
    if (first) {
        memcpy(q->S, q->L0, d * d * sizeof(double));
        return;
    }
    vdi_gemm(VDI_F64, 0, d, d, d, q->A, d, q->S, d, q->wide, 2 * d);
    for (size_t i = 0; i < d; i++)
        memcpy(q->wide + i * 2 * d + d, q->Lq + i * d, d * sizeof(double));
    vdi__lower_root(q->d, 2 * q->d, q->wide, q->S);
}

/* P = S S' */
VDI__FN void vdi__root_square(const vdi__root *q, double *P) {
    const size_t d = (size_t)q->d;
    vdi_gemm(VDI_F64, VDI_GEMM_TB, d, d, d, q->S, d, q->S, d, P, d);
    vdi__symmetrise(q->d, P);
}

/* Gains of the values seen, and S given them. False: *which value is determined by what came before
 * it, to the last digit, and has no density. */
VDI__FN bool vdi__root_gains(vdi__root *q, int64_t *which) {
    const int64_t d = q->d;
    const size_t D = (size_t)d;
    q->log_s = 0;
    for (int64_t k = 0; k < d; k++) { /* variances, as a yardstick */
        q->work[k] = vdi_dot(VDI_F64, D, q->S + k * d, q->S + k * d);
    }
    for (int64_t i = 0; i < q->m; i++) {
        const double *c = q->c + i * d;
        double *f = q->f, *k = q->gain + i * d, scale = q->r[i];
        vdi_gemv(VDI_F64, VDI_GEMM_TA, D, D, q->S, D, c, f);
        for (int64_t j = 0; j < d; j++)
            scale += c[j] * c[j] * q->work[j];
        const double s = vdi_dot(VDI_F64, D, f, f) + q->r[i];
        if (!(s > 1e-26 * scale)) {
            *which = i;
            return false;
        }
        vdi_gemv(VDI_F64, 0, D, D, q->S, D, f, k);
        const double part = 1 / (s + sqrt(q->r[i] * s));
        for (int64_t j = 0; j < d; j++)
            vdi_axpby(VDI_F64, D, -part * k[j], f, 1, q->S + j * d);
        for (int64_t j = 0; j < d; j++)
            k[j] /= s;
        q->s[i] = s;
        q->log_s += log(s) + VDI_LOG_2PI;
    }
    return true;
}

/* The mean, given the values in q->y; returns |v|^2 / s, summed. */
VDI__FN double vdi__root_update(const vdi__root *q, double *mean) {
    const size_t d = (size_t)q->d;
    double distance = 0;
    for (int64_t i = 0; i < q->m; i++) {
        const double v = q->y[i] - vdi_dot(VDI_F64, d, q->c + i * q->d, mean);
        vdi_axpby(VDI_F64, d, v, q->gain + i * q->d, 1, mean);
        q->v[i] = v;
        distance += v * v / q->s[i];
    }
    return distance;
}
#endif
