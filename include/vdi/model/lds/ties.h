/* model/lds/ties.h - elements of A, B, C and D that EM leaves alone, keeps equal or within bounds
 *
 * Do this:
 *     static const int32_t diagonal[4] = {1, 0, 0, 2};   two elements are sought, the others stay
 *     vdi_lds_ties ties = {0};
 *     ties.A.group = diagonal;
 *     ties.A.low = 0;
 *     ties.A.high = 0.99;
 *     desc.ties = &ties;                                 before vdi_lds_create; has to last
 *
 * With W the inverse of the noise's covariance, EM's step minimises tr W (theta S_xx theta' - 2
 * S_yx theta') over what is sought: a quadratic in one number per group, whose normal equations
 * couple the rows. Bounds are kept by descending one group at a time from where the parameters are.
 * The noise's covariance follows, given that (conditional maximisation, Meng and Rubin 1993), so
 * that the likelihood never falls.
 */
#ifndef VDI_MODEL_LDS_TIES_H
#define VDI_MODEL_LDS_TIES_H
#include "regression.h"

/** Of one parameter. */
typedef struct vdi_lds_tie {
    const int32_t
        *group;       /**< shape of the parameter: 0 stays as it is, elements of equal numbers from
                               1 on are kept equal; NULL: all are free, each by itself */
    double low, high; /**< of what is sought; both 0: no bounds. Where the parameters begin
                               outside, the first step brings them in */
} vdi_lds_tie;

/** Of a model. The arrays are the caller's, and have to last as long as the model. */
typedef struct vdi_lds_ties {
    vdi_lds_tie A, B, C, D; /**< of each of these parameters */
} vdi_lds_ties;

#endif /* VDI_MODEL_LDS_TIES_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_TIES_C)
#define VDI_MODEL_LDS_TIES_C

/* theta (rows,K) = (A, B) or (C, D) with its groups. */
typedef struct vdi__ties {
    int64_t rows, K, count;
    int64_t *group;     /* (rows,K): number of the group, or -1 */
    double *low, *high; /* (count) */
    bool bounded;
    double *H, *L;   /* (count,count): and its factor */
    double *g, *phi; /* (count) */
    double *W;       /* (rows,rows) */
    double *work;    /* VDI__ROOT_WORK(rows) */
} vdi__ties;

/* The same group's number among those seen so far, or a new one. */
VDI__FN int64_t vdi__ties_number(vdi__ties *t, const vdi_lds_tie *of, int64_t at, int64_t first,
                                 int32_t *names) {
    const int32_t name = of->group ? of->group[at] : 0;
    if (of->group && name <= 0) return -1;
    for (int64_t i = first; of->group && i < t->count; i++)
        if (names[i] == name) return i;
    names[t->count] = name;
    t->low[t->count] = of->low < of->high ? of->low : -HUGE_VAL;
    t->high[t->count] = of->low < of->high ? of->high : HUGE_VAL;
    t->bounded = t->bounded || of->low < of->high;
    return t->count++;
}

/* The groups of (left, right), `d` and K - d columns wide. NULL: memory is out, or there are no
 * ties. */
VDI__FN vdi__ties *vdi__ties_of(const vdi_lds_tie *left, const vdi_lds_tie *right, int64_t rows,
                                int64_t d, int64_t K, vdi_arena *arena, bool *ok) {
    const size_t all = vdi_mul_size((size_t)rows, (size_t)K), r = (size_t)rows;
    const bool any =
        left->group || right->group || left->low < left->high || right->low < right->high;
    if (!any) return NULL;
    vdi__ties *t = (vdi__ties *)vdi_arena_calloc(arena, sizeof *t);
    int32_t *names = (int32_t *)vdi_arena_calloc(arena, all * sizeof *names);
    if (!t || !names) {
        *ok = false;
        return NULL;
    }
    t->rows = rows;
    t->K = K;
    t->group = vdi__take_ints(arena, all, ok);
    t->low = vdi__take_reals(arena, all, ok);
    t->high = vdi__take_reals(arena, all, ok);
    if (!*ok) return NULL;
    for (int64_t i = 0; i < rows * d; i++)
        t->group[i / d * K + i % d] = vdi__ties_number(t, left, i, 0, names);
    const int64_t first = t->count, U = K - d;
    for (int64_t i = 0; i < rows * U; i++)
        t->group[i / U * K + d + i % U] = vdi__ties_number(t, right, i, first, names);
    const size_t n = (size_t)t->count;
    t->H = vdi__take_reals(arena, vdi_mul_size(n, n), ok);
    t->g = vdi__take_reals(arena, n, ok);
    t->phi = vdi__take_reals(arena, n, ok);
    t->W = vdi__take_reals(arena, r * r, ok);
    t->L = vdi__take_reals(arena, vdi_mul_size(n, n), ok);
    t->work = vdi__take_reals(arena, VDI__ROOT_WORK(r), ok);
    return t;
}

/* W = V^{-1}; directions without noise get no weight. `diagonal`: V has nothing else. */
VDI__FN vdi_status vdi__ties_weigh(vdi__ties *t, const char *name, bool diagonal, const double *V,
                                   vdi_error *err) {
    const int64_t n = t->rows;
    const double *vectors = t->work, *w = t->work + 3 * n * n, *D = w + n;
    memset(t->W, 0, (size_t)(n * n) * sizeof(double));
    for (int64_t i = 0; diagonal && i < n; i++)
        t->W[i * (n + 1)] = V[i * (n + 1)] > 0 ? 1 / V[i * (n + 1)] : 0;
    if (diagonal) return VDI_OK;
    const vdi_status status = vdi__semidefinite(name, n, V, t->work, err);
    if (status < 0) return status;
    for (int64_t k = 0; k < n; k++) {
        for (int64_t i = 0; w[k] > 0 && i < n * n; i++)
            t->W[i] += vectors[i / n * n + k] / D[i / n] * vectors[i % n * n + k] / D[i % n] / w[k];
    }
    return VDI_OK;
}

/* Rows `first` to `last` of the normal equations, for a regression whose sums are of these rows;
 * about
 * 0 if no constant takes the means up. */
VDI__FN void vdi__ties_add(vdi__ties *t, const vdi__regression *g, int64_t first, int64_t last,
                           const double *theta) {
    const int64_t K = t->K;
    const double level = vdi__regression_has_level(g) ? g->count : 0;
    for (int64_t r = first; r < last; r++) {
        for (int64_t s = first; s < last; s++) {
            const double w = t->W[r * t->rows + s];
            if (w == 0) continue;
            for (int64_t k = 0; k < K; k++) {
                const int64_t own = t->group[r * K + k];
                if (own < 0) continue;
                t->g[own] +=
                    w * (g->yx[(s - first) * K + k] + level * g->mean_y[s - first] * g->mean_x[k]);
                for (int64_t l = 0; l < K; l++) {
                    const double xx = g->xx[k * K + l] + level * g->mean_x[k] * g->mean_x[l];
                    const int64_t other = t->group[s * K + l];
                    if (other < 0)
                        t->g[own] -= w * xx * theta[s * K + l];
                    else
                        t->H[own * t->count + other] += w * xx;
                }
            }
        }
    }
}

VDI__FN void vdi__ties_clear(vdi__ties *t) {
    memset(t->H, 0, (size_t)(t->count * t->count) * sizeof(double));
    memset(t->g, 0, (size_t)t->count * sizeof(double));
}

/* Down one group at a time, from phi, within the bounds. */
VDI__FN void vdi__ties_descend(vdi__ties *t) {
    const int64_t n = t->count;
    for (int sweep = 0; sweep < 10000; sweep++) {
        double moved = 0, size = 0;
        for (int64_t i = 0; i < n; i++) {
            const double *row = t->H + i * n, own = row[i];
            if (!(own > 0)) continue; /* nothing speaks of it */
            double x = t->phi[i] + (t->g[i] - vdi_dot(VDI_F64, (size_t)n, row, t->phi)) / own;
            x = VDI__MIN(VDI__MAX(x, t->low[i]), t->high[i]);
            moved = VDI__MAX(moved, fabs(x - t->phi[i]));
            size = VDI__MAX(size, fabs(x));
            t->phi[i] = x;
        }
        if (moved <= 1e-14 * size) break;
    }
}

/* theta: what is sought becomes the best. */
VDI__FN void vdi__ties_solve(vdi__ties *t, double *theta) {
    const int64_t n = t->count, all = t->rows * t->K;
    const size_t N = (size_t)n;
    for (int64_t i = 0; i < all; i++) {
        const int64_t k = t->group[i];
        if (k >= 0) t->phi[k] = VDI__MIN(VDI__MAX(theta[i], t->low[k]), t->high[k]);
    }
    memcpy(t->L, t->H, N * N * sizeof(double));
    if (!t->bounded && n > 0 && vdi_cholesky(VDI_F64, N, t->L, N, NULL) == VDI_OK) {
        memcpy(t->phi, t->g, N * sizeof(double));
        vdi_cholesky_solve(VDI_F64, N, 1, t->L, N, t->phi, 1);
    } else {
        vdi__ties_descend(t);
    }
    for (int64_t i = 0; i < all; i++)
        if (t->group[i] >= 0) theta[i] = t->phi[t->group[i]];
}
#endif
