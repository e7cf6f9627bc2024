/* linalg/kalman_body.h - the recursions of kalman.h, one group of trials per lane
 *
 * A lane matrix is an array of vectors, row-major; a lane is one group. Lanes behind the last group
 * repeat it and are not stored. Everything is put together from five shared pieces, since these
 * kernels are not where time goes, and eight passes compile them.
 */

/* Where the lanes of a block are: element `at` of each of n groups, `step` apart. */
VDI_SHARED void VDI_PN(vdi__lanes_load)(const void *from, int64_t at, int64_t count, int64_t step,
                                        int64_t n, VDI_V *to) {
    const VDI_T *x = (const VDI_T *)from + at;
    for (int64_t i = 0; i < count; i++) {
        VDI_T t[VDI_W];
        for (int64_t l = 0; l < VDI_W; l++)
            t[l] = x[i + (l < n ? l : n - 1) * step];
        to[i] = VDI_VLOAD(t);
    }
}

/* stores v where alive[lane] is not 0, else 0 */
VDI_SHARED void VDI_PN(vdi__lanes_store)(void *to, int64_t at, int64_t count, int64_t step,
                                         int64_t n, const VDI_T *alive, const VDI_V *v) {
    VDI_T *x = (VDI_T *)to + at;
    for (int64_t i = 0; i < count; i++) {
        VDI_T t[VDI_W];
        VDI_VSTORE(t, v[i]);
        for (int64_t l = 0; l < VDI_W && l < n; l++)
            x[i + l * step] = alive[l] != 0 ? t[l] : VDI_C(0);
    }
}

/* C (rows,cols) = base + sign * A B, where A[i,k] is A[i ai + k ak] and B[k,j] is B[k bk + j bj];
 * base is C's shape, or NULL for 0. C may be base, but neither A nor B. */
VDI_SHARED void VDI_PN(vdi__lanes_product)(int64_t rows, int64_t cols, int64_t inner,
                                           const VDI_V *A, int64_t ai, int64_t ak, const VDI_V *B,
                                           int64_t bk, int64_t bj, int sign, const VDI_V *base,
                                           VDI_V *C) {
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            VDI_V s = VDI_VZERO();
            for (int64_t k = 0; k < inner; k++)
                s = VDI_VFMA(A[i * ai + k * ak], B[k * bk + j * bj], s);
            if (base)
                s = sign < 0 ? VDI_VSUB(base[i * cols + j], s) : VDI_VADD(base[i * cols + j], s);
            C[i * cols + j] = s;
        }
    }
}

/* Cholesky factor of the mean of A and A' in place, upper triangle 0; the product of the diagonal.
 * good[lane] becomes 0 where a pivot is not positive (or NaN): the lane then goes on with 1. */
VDI_SHARED void VDI_PN(vdi__lanes_cholesky)(int64_t d, VDI_V *A, VDI_V *product, VDI_T *good) {
    VDI_V fine = VDI_VSET1(VDI_C(1)), one = fine;
    *product = one;
    for (int64_t j = 0; j < d; j++) {
        VDI_V r = one;
        for (int64_t i = j; i < d; i++) {
            VDI_V s = VDI_VMUL(VDI_VADD(A[i * d + j], A[j * d + i]), VDI_VSET1(VDI_C(0.5)));
            for (int64_t k = 0; k < j; k++)
                s = VDI_VFNMA(A[i * d + k], A[j * d + k], s);
            if (i == j) {
                VDI_M positive = VDI_VGT(s, VDI_VZERO());
                fine = VDI_VSEL(positive, fine, VDI_VZERO());
                s = VDI_VSQRT(VDI_VSEL(positive, s, one));
                r = VDI_VDIV(one, s);
                *product = VDI_VMUL(*product, s);
            } else {
                s = VDI_VMUL(s, r);
            }
            A[i * d + j] = s;
        }
    }
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = i + 1; j < d; j++)
            A[i * d + j] = VDI_VZERO();
    }
    VDI_VSTORE(good, fine);
}

/* X (d,cols) = L^{-1} X, or L'^{-1} X */
VDI_SHARED void VDI_PN(vdi__lanes_solve)(int64_t d, int64_t cols, const VDI_V *L, bool transposed,
                                         VDI_V *X) {
    for (int64_t q = 0; q < d; q++) {
        int64_t i = transposed ? d - 1 - q : q;
        for (int64_t j = 0; j < cols; j++) {
            VDI_V s = X[i * cols + j];
            for (int64_t k = transposed ? i + 1 : 0; k < (transposed ? d : i); k++)
                s = VDI_VFNMA(transposed ? L[k * d + i] : L[i * d + k], X[k * cols + j], s);
            X[i * cols + j] = VDI_VDIV(s, L[i * d + i]);
        }
    }
}

/* alive[lane] = 1 where bin t lies inside the group's length */
VDI_SHARED void VDI_PN(vdi__kalman_alive)(const vdi__kalman_args *a, int64_t g, int64_t n,
                                          int64_t t, VDI_T *alive) {
    for (int64_t l = 0; l < VDI_W; l++)
        alive[l] = VDI_C(t < (a->lengths ? a->lengths[g + (l < n ? l : n - 1)] : a->T));
}

VDI_SHARED void VDI_PN(vdi__kalman_note)(vdi__kalman_args *a, int64_t g, int64_t n, int64_t t,
                                         const VDI_T *alive, const VDI_T *good) {
    for (int64_t l = 0; l < VDI_W && l < n; l++) {
        if (good[l] == 0 && alive[l] != 0 && a->bad_group < 0) {
            a->bad_group = g + l;
            a->bad_time = t;
        }
    }
}

/* The lanes of the filter at one group and bin. */
typedef struct VDI_PN(vdi__kalman_lanes) {
    VDI_V *A, *P, *L, *W, *X, *G, *K, *Q; /* (d,d); P is predicted, then filtered */
    VDI_V *m, *h, *e, *v;                 /* (d) */
    VDI_V *pivots;                        /* (T) */
    VDI_V *state;                         /* (nrhs,d) filtered means */
    VDI_V *ll;                            /* (nrhs) */
    VDI_T alive[VDI_W];
} VDI_PN(vdi__kalman_lanes);

VDI_SHARED void VDI_PN(vdi__kalman_place)(const vdi__kalman_args *a, VDI_PN(vdi__kalman_lanes) *w) {
    const int64_t d = a->d, dd = d * d;
    VDI_V *work =
        (VDI_V *)(void *)(((uintptr_t)a->work + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    w->A = work;
    w->P = work + dd;
    w->L = work + 2 * dd;
    w->W = work + 3 * dd;
    w->X = work + 4 * dd;
    w->G = work + 5 * dd;
    w->K = work + 6 * dd;
    w->Q = work + 7 * dd;
    w->m = work + 8 * dd;
    w->h = w->m + d;
    w->e = w->h + d;
    w->v = w->e + d;
    w->pivots = w->v + 3 * d;
    w->state = w->pivots + a->T;
    w->ll = w->state + a->nrhs * d;
}

/* Bin t: the predicted and the filtered covariance, and K with Pf = K K'. */
VDI_SHARED void VDI_PN(vdi__kalman_covariance)(vdi__kalman_args *a, int64_t g, int64_t n, int64_t t,
                                               VDI_PN(vdi__kalman_lanes) *w) {
    const int64_t d = a->d, dd = d * d, cov = a->T * dd, at = (g * a->T + t) * dd;
    const VDI_M on = VDI_VGT(VDI_VLOAD(w->alive), VDI_VZERO());
    VDI_V *L = w->L, *G = w->G, *X = w->X, *P = w->P, *K = w->K;
    VDI_T good[VDI_W];
    if (t == 0) {
        VDI_PN(vdi__lanes_load)(a->Q0, 0, dd, 0, 1, P);
    } else { /* P holds Pf: P = A Pf A' + Q */
        VDI_PN(vdi__lanes_product)(d, d, d, w->A, d, 1, P, d, 1, 1, NULL, X);
        VDI_PN(vdi__lanes_product)(d, d, d, X, d, 1, w->A, 1, d, 1, w->Q, P);
    }
    VDI_PN(vdi__lanes_store)(a->Pp, at, dd, cov, n, w->alive, P);
    VDI_PN(vdi__lanes_load)(a->W, at, dd, cov, n, w->W);
    for (int64_t i = 0; i < dd; i++) {
        L[i] = P[i];
        w->W[i] = VDI_VSEL(on, w->W[i], VDI_VZERO());
        G[i] = VDI_VSET1(VDI_C(i / d == i % d));
    }
    VDI_PN(vdi__lanes_cholesky)(d, L, &w->pivots[t], good);
    VDI_PN(vdi__kalman_note)(a, g, n, t, w->alive, good);
    /* G G' = I + L' W L,  K' = G^{-1} L',  Pf = K K' */
    VDI_PN(vdi__lanes_product)(d, d, d, w->W, d, 1, L, d, 1, 1, NULL, X);
    VDI_PN(vdi__lanes_product)(d, d, d, L, 1, d, X, d, 1, 1, G, G);
    VDI_PN(vdi__lanes_cholesky)(d, G, &w->pivots[t], good);
    VDI_PN(vdi__kalman_note)(a, g, n, t, w->alive, good);
    w->pivots[t] = VDI_VSEL(on, w->pivots[t], VDI_VSET1(VDI_C(1)));
    for (int64_t i = 0; i < dd; i++)
        K[i] = L[i % d * d + i / d];
    VDI_PN(vdi__lanes_solve)(d, d, G, false, K);
    VDI_PN(vdi__lanes_product)(d, d, d, K, 1, d, K, d, 1, 1, NULL, P);
    VDI_PN(vdi__lanes_store)(a->Pf, at, dd, cov, n, w->alive, P);
}

/* Bin t, right-hand side r: the predicted and the filtered mean, and their part of ll. */
VDI_SHARED void VDI_PN(vdi__kalman_mean)(const vdi__kalman_args *a, int64_t g, int64_t n, int64_t t,
                                         int64_t r, VDI_PN(vdi__kalman_lanes) *w) {
    const int64_t d = a->d, mean = a->T * d, row = ((r * a->groups + g) * a->T + t) * d;
    const VDI_M on = VDI_VGT(VDI_VLOAD(w->alive), VDI_VZERO());
    VDI_V *mf = w->state + r * d, *m = w->m, *h = w->h, *e = w->e, *v = w->v;
    VDI_V sum = VDI_VZERO();
    VDI_PN(vdi__lanes_load)(a->c, row, d, mean, n, m);
    if (t > 0) VDI_PN(vdi__lanes_product)(d, 1, d, w->A, d, 1, mf, 1, 1, 1, m, m);
    VDI_PN(vdi__lanes_load)(a->h, row, d, mean, n, h);
    for (int64_t i = 0; i < d; i++)
        h[i] = VDI_VSEL(on, h[i], VDI_VZERO());
    VDI_PN(vdi__lanes_product)(d, 1, d, w->W, d, 1, m, 1, 1, -1, h, e); /* e = h - W m */
    VDI_PN(vdi__lanes_product)(d, 1, d, w->K, d, 1, e, 1, 1, 1, NULL, v);
    VDI_PN(vdi__lanes_product)(d, 1, d, w->K, 1, d, v, 1, 1, 1, m, mf); /* mf = m + K K' e */
    for (int64_t i = 0; i < d; i++) {
        sum = VDI_VFMA(m[i], VDI_VADD(h[i], e[i]), sum);
        sum = VDI_VFMA(v[i], v[i], sum);
    }
    VDI_PN(vdi__lanes_store)(a->mp, row, d, mean, n, w->alive, m);
    VDI_PN(vdi__lanes_store)(a->mf, row, d, mean, n, w->alive, mf);
    w->ll[r] = VDI_VFMA(VDI_VSET1(VDI_C(0.5)), VDI_VSEL(on, sum, VDI_VZERO()), w->ll[r]);
}

VDI_KERNEL void VDI_PN(vdi__linalg_kalman_filter)(vdi__kalman_args *a) {
    const int64_t dd = a->d * a->d;
    VDI_PN(vdi__kalman_lanes) w;
    VDI_PN(vdi__kalman_place)(a, &w);
    VDI_PN(vdi__lanes_load)(a->A, 0, dd, 0, 1, w.A);
    VDI_PN(vdi__lanes_load)(a->Q, 0, dd, 0, 1, w.Q);
    for (int64_t g = 0; g < a->groups; g += VDI_W) {
        const int64_t n = a->groups - g;
        for (int64_t r = 0; r < a->nrhs; r++)
            w.ll[r] = VDI_VZERO();
        for (int64_t t = 0; t < a->T; t++) {
            VDI_PN(vdi__kalman_alive)(a, g, n, t, w.alive);
            VDI_PN(vdi__kalman_covariance)(a, g, n, t, &w);
            for (int64_t r = 0; r < a->nrhs; r++)
                VDI_PN(vdi__kalman_mean)(a, g, n, t, r, &w);
        }
        /* the products are square roots of determinants, so their logs count once */
        VDI_PN(vdi__unary_log)((size_t)(a->T * VDI_W), 0, w.pivots, w.pivots);
        VDI_V sum = VDI_VZERO();
        for (int64_t t = 0; t < a->T; t++)
            sum = VDI_VADD(sum, w.pivots[t]);
        for (int64_t l = 0; l < VDI_W; l++)
            w.alive[l] = VDI_C(1);
        for (int64_t r = 0; r < a->nrhs; r++) {
            w.ll[r] = VDI_VSUB(w.ll[r], sum);
            VDI_PN(vdi__lanes_store)(a->ll, r * a->groups + g, 1, 1, n, w.alive, &w.ll[r]);
        }
    }
}

VDI_KERNEL void VDI_PN(vdi__linalg_kalman_smooth)(vdi__kalman_args *a) {
    const int64_t d = a->d, T = a->T, dd = d * d;
    VDI_V *work =
        (VDI_V *)(void *)(((uintptr_t)a->work + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    VDI_V *A = work;
    VDI_V *Pp = work + dd;
    VDI_V *L = work + 2 * dd;
    VDI_V *Pf = work + 3 * dd;
    VDI_V *Y = work + 4 * dd;
    VDI_V *X = work + 5 * dd;
    VDI_V *Ps = work + 6 * dd;
    VDI_V *D = work + 7 * dd;
    VDI_V *m = work + 8 * dd;
    VDI_V *p = m + d;
    VDI_V product;
    VDI_PN(vdi__lanes_load)(a->A, 0, dd, 0, 1, A);
    for (int64_t g = 0; g < a->groups; g += VDI_W) {
        int64_t n = a->groups - g, cov = T * dd, mean = T * d;
        VDI_T alive[VDI_W], next[VDI_W], good[VDI_W];
        for (int64_t l = 0; l < VDI_W; l++)
            next[l] = VDI_C(0);
        for (int64_t t = T - 1; t >= 0; t--) {
            int64_t at = (g * T + t) * dd;
            VDI_PN(vdi__kalman_alive)(a, g, n, t, alive);
            VDI_PN(vdi__lanes_load)(a->Pf, at, dd, cov, n, Pf);
            /* the next bin exists: else this one is its own smoothed state */
            VDI_M ahead = VDI_VGT(VDI_VLOAD(next), VDI_VZERO());
            if (t + 1 < T) {
                VDI_PN(vdi__lanes_load)(a->Pp, at + dd, dd, cov, n, Pp);
                for (int64_t i = 0; i < dd; i++) {
                    Pp[i] = L[i] = VDI_VSEL(ahead, Pp[i], VDI_VSET1(VDI_C(i / d == i % d)));
                    D[i] = VDI_VSEL(ahead, VDI_VSUB(Ps[i], Pp[i]), VDI_VZERO());
                }
                VDI_PN(vdi__lanes_cholesky)(d, L, &product, good);
                VDI_PN(vdi__kalman_note)(a, g, n, t + 1, next, good);
                /* Y = Pp^{-1} A Pf is the transposed gain; Pc = Ps_{t+1} Y, Ps = Pf + Y' D Y */
                VDI_PN(vdi__lanes_product)(d, d, d, A, d, 1, Pf, d, 1, 1, NULL, Y);
                VDI_PN(vdi__lanes_solve)(d, d, L, false, Y);
                VDI_PN(vdi__lanes_solve)(d, d, L, true, Y);
                VDI_PN(vdi__lanes_product)(d, d, d, Ps, d, 1, Y, d, 1, 1, NULL, X);
                if (a->Pc) {
                    VDI_PN(vdi__lanes_store)(a->Pc, (g * (T - 1) + t) * dd, dd, (T - 1) * dd, n,
                                             next, X);
                }
                VDI_PN(vdi__lanes_product)(d, d, d, D, d, 1, Y, d, 1, 1, NULL, X);
                VDI_PN(vdi__lanes_product)(d, d, d, Y, 1, d, X, d, 1, 1, Pf, Pp);
            }
            for (int64_t i = 0; i < dd; i++) {
                VDI_V s = Pf[i];
                if (t + 1 < T) {
                    s = VDI_VSEL(
                        ahead,
                        VDI_VMUL(VDI_VADD(Pp[i], Pp[i % d * d + i / d]), VDI_VSET1(VDI_C(0.5))), s);
                }
                Ps[i] = s;
            }
            VDI_PN(vdi__lanes_store)(a->Ps, at, dd, cov, n, alive, Ps);
            for (int64_t r = 0; r < a->nrhs; r++) {
                int64_t row = ((r * a->groups + g) * T + t) * d;
                VDI_PN(vdi__lanes_load)(a->mf, row, d, mean, n, m);
                if (t + 1 < T) { /* X is free: the smoothed state ahead, less its prediction */
                    VDI_PN(vdi__lanes_load)(a->ms, row + d, d, mean, n, X);
                    VDI_PN(vdi__lanes_load)(a->mp, row + d, d, mean, n, p);
                    for (int64_t i = 0; i < d; i++)
                        p[i] = VDI_VSEL(ahead, VDI_VSUB(X[i], p[i]), VDI_VZERO());
                    VDI_PN(vdi__lanes_product)(d, 1, d, Y, 1, d, p, 1, 1, 1, m, m);
                }
                VDI_PN(vdi__lanes_store)(a->ms, row, d, mean, n, alive, m);
            }
            memcpy(next, alive, sizeof next);
        }
    }
}
