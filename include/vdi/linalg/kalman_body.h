/* linalg/kalman_body.h - the recursions of kalman.h, one group of trials per lane
 *
 * A lane matrix is d x d vectors, row-major; a lane is one group. Lanes behind the last group repeat it and are not stored.
 */

/* y = x of W groups: element `at` of each group's block, blocks `step` apart; `n` groups are left. */
VDI_KERNEL VDI_V VDI_PN(vdi__lanes_load)(const VDI_T *x, int64_t step, int64_t n) {
    VDI_T t[VDI_W];
    for (int64_t l = 0; l < VDI_W; l++) t[l] = x[(l < n ? l : n - 1) * step];
    return VDI_VLOAD(t);
}
VDI_KERNEL void VDI_PN(vdi__lanes_store)(VDI_T *x, int64_t step, int64_t n, VDI_V v) {
    VDI_T t[VDI_W];
    VDI_VSTORE(t, v);
    for (int64_t l = 0; l < VDI_W && l < n; l++) x[l * step] = t[l];
}

/* C = A B, or A B' */
VDI_KERNEL void VDI_PN(vdi__lanes_mul)(int64_t d, const VDI_V *A, const VDI_V *B, bool transpose, VDI_V *C) {
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) {
            VDI_V s = VDI_VZERO();
            for (int64_t k = 0; k < d; k++) s = VDI_VFMA(A[i * d + k], transpose ? B[j * d + k] : B[k * d + j], s);
            C[i * d + j] = s;
        }
}

/* lower Cholesky factor in place; the product of pivots, and `bad` where one is not positive */
VDI_KERNEL void VDI_PN(vdi__lanes_cholesky)(int64_t d, VDI_V *A, VDI_V *product, VDI_T bad[VDI_W]) {
    VDI_V worst = VDI_VSET1(VDI_C(1));
    *product = VDI_VSET1(VDI_C(1));
    for (int64_t j = 0; j < d; j++) {
        VDI_V p = A[j * d + j];
        for (int64_t k = 0; k < j; k++) p = VDI_VFNMA(A[j * d + k], A[j * d + k], p);
        /* NaN or not positive: remember it, go on with 1 */
        VDI_M good = VDI_VGT(p, VDI_VZERO());
        worst = VDI_VSEL(good, worst, VDI_VZERO());
        p = VDI_VSQRT(VDI_VSEL(good, p, VDI_VSET1(VDI_C(1))));
        *product = VDI_VMUL(*product, p);
        VDI_V r = VDI_VDIV(VDI_VSET1(VDI_C(1)), p);
        A[j * d + j] = p;
        for (int64_t i = j + 1; i < d; i++) {
            VDI_V s = A[i * d + j];
            for (int64_t k = 0; k < j; k++) s = VDI_VFNMA(A[i * d + k], A[j * d + k], s);
            A[i * d + j] = VDI_VMUL(s, r);
        }
    }
    VDI_VSTORE(bad, worst);
}

VDI_KERNEL void VDI_PN(vdi__kalman_note)(vdi__kalman_args *a, int64_t g, int64_t n, int64_t t, const VDI_T *good) {
    for (int64_t l = 0; l < VDI_W && l < n; l++)
        if (good[l] == 0 && t < (a->lengths ? a->lengths[g + l] : a->T) && a->bad_group < 0) a->bad_group = g + l, a->bad_time = t;
}

/* behind a group's length there is nothing to store but zeros */
VDI_KERNEL VDI_V VDI_PN(vdi__kalman_alive)(const vdi__kalman_args *a, int64_t g, int64_t n, int64_t t) {
    VDI_T m[VDI_W];
    for (int64_t l = 0; l < VDI_W; l++) m[l] = VDI_C(t < (a->lengths ? a->lengths[g + (l < n ? l : n - 1)] : a->T));
    return VDI_VLOAD(m);
}

VDI_KERNEL void VDI_PN(vdi__linalg_kalman_filter)(vdi__kalman_args *a) {
    const int64_t d = a->d, T = a->T, dd = d * d;
    const VDI_T *A = (const VDI_T *)a->A, *Q = (const VDI_T *)a->Q, *Q0 = (const VDI_T *)a->Q0;
    VDI_V *work = (VDI_V *)(void *)(((uintptr_t)a->work + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    VDI_V *Av = work, *Pp = work + dd, *L = work + 2 * dd, *W = work + 3 * dd, *X = work + 4 * dd, *G = work + 5 * dd, *K = work + 6 * dd,
          *Pf = work + 7 * dd, *m = work + 8 * dd, *gv = m + d, *v = m + 2 * d, *pivots = m + 6 * d, *state = pivots + T, *ll = state + a->nrhs * d;
    for (int64_t i = 0; i < dd; i++) Av[i] = VDI_VSET1(A[i]);
    for (int64_t g = 0; g < a->groups; g += VDI_W) {
        int64_t n = a->groups - g;
        for (int64_t r = 0; r < a->nrhs; r++) ll[r] = VDI_VZERO();
        for (int64_t t = 0; t < T; t++) {
            VDI_T good[VDI_W];
            VDI_V product, alive = VDI_PN(vdi__kalman_alive)(a, g, n, t), none = VDI_VZERO();
            VDI_M on = VDI_VGT(alive, none);
            int64_t at = (g * T + t) * dd;
            if (t == 0) {
                for (int64_t i = 0; i < dd; i++) Pp[i] = VDI_VSET1(Q0[i]);
            } else {
                VDI_PN(vdi__lanes_mul)(d, Av, Pf, false, X);
                VDI_PN(vdi__lanes_mul)(d, X, Av, true, Pp);
                for (int64_t i = 0; i < d; i++)
                    for (int64_t j = 0; j <= i; j++) {
                        VDI_V s = VDI_VMUL(VDI_VADD(Pp[i * d + j], Pp[j * d + i]), VDI_VSET1(VDI_C(0.5)));
                        Pp[i * d + j] = Pp[j * d + i] = VDI_VADD(s, VDI_VSET1(Q[i * d + j]));
                    }
            }
            for (int64_t i = 0; i < dd; i++) {
                L[i] = Pp[i];
                W[i] = VDI_VSEL(on, VDI_PN(vdi__lanes_load)((const VDI_T *)a->W + at + i, T * dd, n), none);
                VDI_PN(vdi__lanes_store)((VDI_T *)a->Pp + at + i, T * dd, n, VDI_VSEL(on, Pp[i], none));
            }
            VDI_PN(vdi__lanes_cholesky)(d, L, &product, good);
            VDI_PN(vdi__kalman_note)(a, g, n, t, good);
            /* X = W L, G = I + L' X, over the lower triangle of L */
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = 0; j < d; j++) {
                    VDI_V s = VDI_VZERO();
                    for (int64_t k = j; k < d; k++) s = VDI_VFMA(W[i * d + k], L[k * d + j], s);
                    X[i * d + j] = s;
                }
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = 0; j <= i; j++) {
                    VDI_V s = VDI_VSET1(VDI_C(i == j));
                    for (int64_t k = i; k < d; k++) s = VDI_VFMA(L[k * d + i], X[k * d + j], s);
                    G[i * d + j] = s;
                }
            VDI_PN(vdi__lanes_cholesky)(d, G, &pivots[t], good);
            VDI_PN(vdi__kalman_note)(a, g, n, t, good);
            pivots[t] = VDI_VSEL(on, pivots[t], VDI_VSET1(VDI_C(1)));
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = 0; j < d; j++) {
                    VDI_V s = j <= i ? L[i * d + j] : none;
                    for (int64_t k = 0; k < j; k++) s = VDI_VFNMA(K[i * d + k], G[j * d + k], s);
                    K[i * d + j] = VDI_VDIV(s, G[j * d + j]);
                }
            VDI_PN(vdi__lanes_mul)(d, K, K, true, Pf);
            for (int64_t i = 0; i < dd; i++) VDI_PN(vdi__lanes_store)((VDI_T *)a->Pf + at + i, T * dd, n, VDI_VSEL(on, Pf[i], none));
            for (int64_t r = 0; r < a->nrhs; r++) {
                int64_t row = ((r * a->groups + g) * T + t) * d;
                VDI_V *mf = state + r * d, sum = none;
                for (int64_t i = 0; i < d; i++) {
                    VDI_V s = VDI_PN(vdi__lanes_load)((const VDI_T *)a->c + row + i, T * d, n);
                    if (t > 0)
                        for (int64_t k = 0; k < d; k++) s = VDI_VFMA(Av[i * d + k], mf[k], s);
                    m[i] = s;
                    VDI_PN(vdi__lanes_store)((VDI_T *)a->mp + row + i, T * d, n, VDI_VSEL(on, s, none));
                }
                for (int64_t i = 0; i < d; i++) {
                    VDI_V h = VDI_VSEL(on, VDI_PN(vdi__lanes_load)((const VDI_T *)a->h + row + i, T * d, n), none), s = h;
                    for (int64_t k = 0; k < d; k++) s = VDI_VFNMA(W[i * d + k], m[k], s);
                    gv[i] = s;
                    sum = VDI_VFMA(m[i], VDI_VADD(h, s), sum);
                }
                for (int64_t j = 0; j < d; j++) {
                    VDI_V s = none;
                    for (int64_t i = 0; i < d; i++) s = VDI_VFMA(K[i * d + j], gv[i], s);
                    v[j] = s;
                    sum = VDI_VFMA(s, s, sum);
                }
                for (int64_t i = 0; i < d; i++) {
                    VDI_V s = m[i];
                    for (int64_t j = 0; j < d; j++) s = VDI_VFMA(K[i * d + j], v[j], s);
                    mf[i] = s;
                    VDI_PN(vdi__lanes_store)((VDI_T *)a->mf + row + i, T * d, n, VDI_VSEL(on, s, none));
                }
                ll[r] = VDI_VFMA(VDI_VSET1(VDI_C(0.5)), VDI_VSEL(on, sum, none), ll[r]);
            }
        }
        /* pivots are square roots of determinants, so their logs count once */
        VDI_PN(vdi__unary_log)((size_t)(T * VDI_W), 0, pivots, pivots);
        VDI_V logdet = VDI_VZERO();
        for (int64_t t = 0; t < T; t++) logdet = VDI_VADD(logdet, pivots[t]);
        for (int64_t r = 0; r < a->nrhs; r++) VDI_PN(vdi__lanes_store)((VDI_T *)a->ll + r * a->groups + g, 1, n, VDI_VSUB(ll[r], logdet));
    }
}

VDI_KERNEL void VDI_PN(vdi__linalg_kalman_smooth)(vdi__kalman_args *a) {
    const int64_t d = a->d, T = a->T, dd = d * d;
    const VDI_T *A = (const VDI_T *)a->A;
    VDI_V *work = (VDI_V *)(void *)(((uintptr_t)a->work + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    VDI_V *Av = work, *Pp = work + dd, *L = work + 2 * dd, *Pf = work + 3 * dd, *Y = work + 4 * dd, *X = work + 5 * dd, *Ps = work + 6 * dd,
          *D = work + 7 * dd, *m = work + 8 * dd;
    for (int64_t i = 0; i < dd; i++) Av[i] = VDI_VSET1(A[i]);
    for (int64_t g = 0; g < a->groups; g += VDI_W) {
        int64_t n = a->groups - g;
        for (int64_t t = T - 1; t >= 0; t--) {
            VDI_T good[VDI_W];
            VDI_V product, none = VDI_VZERO();
            /* `on`: this bin exists; `ahead`: the next one does too */
            VDI_M on = VDI_VGT(VDI_PN(vdi__kalman_alive)(a, g, n, t), none), ahead = VDI_VGT(VDI_PN(vdi__kalman_alive)(a, g, n, t + 1), none);
            int64_t at = (g * T + t) * dd, next = at + dd, pair = (g * (T - 1) + t) * dd;
            for (int64_t i = 0; i < dd; i++) Pf[i] = VDI_PN(vdi__lanes_load)((const VDI_T *)a->Pf + at + i, T * dd, n);
            if (t + 1 < T) {
                for (int64_t i = 0; i < d; i++)
                    for (int64_t j = 0; j < d; j++) {
                        VDI_V unit = VDI_VSET1(VDI_C(i == j));
                        Pp[i * d + j] = VDI_VSEL(ahead, VDI_PN(vdi__lanes_load)((const VDI_T *)a->Pp + next + i * d + j, T * dd, n), unit);
                        L[i * d + j] = Pp[i * d + j];
                        D[i * d + j] = VDI_VSEL(ahead, VDI_VSUB(Ps[i * d + j], Pp[i * d + j]), none);
                    }
                VDI_PN(vdi__lanes_cholesky)(d, L, &product, good);
                VDI_PN(vdi__kalman_note)(a, g, n, t + 1, good);
                /* Y = Pp^{-1} A Pf, the transposed gain */
                VDI_PN(vdi__lanes_mul)(d, Av, Pf, false, Y);
                for (int64_t j = 0; j < d; j++) {
                    for (int64_t i = 0; i < d; i++) {
                        VDI_V s = Y[i * d + j];
                        for (int64_t k = 0; k < i; k++) s = VDI_VFNMA(L[i * d + k], Y[k * d + j], s);
                        Y[i * d + j] = VDI_VDIV(s, L[i * d + i]);
                    }
                    for (int64_t i = d - 1; i >= 0; i--) {
                        VDI_V s = Y[i * d + j];
                        for (int64_t k = i + 1; k < d; k++) s = VDI_VFNMA(L[k * d + i], Y[k * d + j], s);
                        Y[i * d + j] = VDI_VDIV(s, L[i * d + i]);
                    }
                }
                /* Pc = Ps_{t+1} Y, then Ps = Pf + Y' D Y */
                VDI_PN(vdi__lanes_mul)(d, Ps, Y, false, X);
                for (int64_t i = 0; i < dd && a->Pc; i++)
                    VDI_PN(vdi__lanes_store)((VDI_T *)a->Pc + pair + i, (T - 1) * dd, n, VDI_VSEL(ahead, X[i], none));
                VDI_PN(vdi__lanes_mul)(d, D, Y, false, X);
                for (int64_t i = 0; i < d; i++)
                    for (int64_t j = 0; j <= i; j++) {
                        VDI_V s = Pf[i * d + j];
                        for (int64_t k = 0; k < d; k++) s = VDI_VFMA(Y[k * d + i], X[k * d + j], s);
                        Ps[i * d + j] = Ps[j * d + i] = VDI_VSEL(ahead, s, Pf[i * d + j]);
                    }
            } else
                for (int64_t i = 0; i < dd; i++) Ps[i] = Pf[i];
            for (int64_t i = 0; i < dd; i++) VDI_PN(vdi__lanes_store)((VDI_T *)a->Ps + at + i, T * dd, n, VDI_VSEL(on, Ps[i], none));
            for (int64_t r = 0; r < a->nrhs; r++) {
                int64_t row = ((r * a->groups + g) * T + t) * d;
                for (int64_t k = 0; k < d && t + 1 < T; k++) {
                    VDI_V s = VDI_PN(vdi__lanes_load)((const VDI_T *)a->ms + row + d + k, T * d, n);
                    m[k] = VDI_VSEL(ahead, VDI_VSUB(s, VDI_PN(vdi__lanes_load)((const VDI_T *)a->mp + row + d + k, T * d, n)), none);
                }
                for (int64_t i = 0; i < d; i++) {
                    VDI_V s = VDI_PN(vdi__lanes_load)((const VDI_T *)a->mf + row + i, T * d, n);
                    for (int64_t k = 0; k < d && t + 1 < T; k++) s = VDI_VFMA(Y[k * d + i], m[k], s);
                    VDI_PN(vdi__lanes_store)((VDI_T *)a->ms + row + i, T * d, n, VDI_VSEL(on, s, none));
                }
            }
        }
    }
}
