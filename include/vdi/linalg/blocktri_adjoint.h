/* linalg/blocktri_adjoint.h - reverse mode of the block-tridiagonal solver
 *
 * Do this:
 *     void *work = malloc(vdi_blocktri_adjoint_worksize(&desc));
 *     vdi_blocktri_logdet_adjoint(&bt, ldbar, work, Dbar, Ebar);   Dbar, Ebar += dF/dD, dF/dE
 *
 * For a scalar F of the outputs of blocktri.h, given the cotangents of the outputs, these add the
 * cotangents of h, eps, D and E. Convention: the cotangent of D_t is symmetric (dF = sum_ij Dbar_ij
 * dD_ij for a symmetric dD), that of E_t is for the stored lower block (so it holds both places in
 * which E_t stands in J). Source: the adjoints of Cholesky (Murray 2016) and of the selected
 * inverse; docs/guide/blocktri.md derives them. All need the factor of the same D, E whose
 * cotangents they add; without one they add nothing. What it does not do: derivatives of
 * derivatives.
 */
#ifndef VDI_LINALG_BLOCKTRI_ADJOINT_H
#define VDI_LINALG_BLOCKTRI_ADJOINT_H
#include "blocktri.h"

/** Bytes of scratch for the adjoints below. */
VDI_API size_t vdi_blocktri_adjoint_worksize(const vdi_blocktri_desc *desc);
/** F through log det: ldbar (B). Adds to Dbar (B,T,d,d), Ebar (B,T-1,d,d). */
VDI_API void vdi_blocktri_logdet_adjoint(const vdi_blocktri *bt, const void *ldbar, void *work,
                                         void *Dbar, void *Ebar);
/** F through x = J^{-1} h: xbar (nrhs,B,T,d). Adds to hbar (nrhs,B,T,d), Dbar, Ebar; each may be
 * NULL. */
VDI_API void vdi_blocktri_solve_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *x,
                                        const void *xbar, void *work, void *hbar, void *Dbar,
                                        void *Ebar);
/** F through z = L^{-T} eps: zbar (nrhs,B,T,d). Adds to epsbar, Dbar, Ebar; each may be NULL. */
VDI_API void vdi_blocktri_sample_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *z,
                                         const void *zbar, void *work, void *epsbar, void *Dbar,
                                         void *Ebar);
/** F through S and O: Sbar (B,T,d,d) (any, its symmetric part counts), Obar (B,T-1,d,d) or NULL; S,
 * O as vdi_blocktri_marginals gave them. */
VDI_API void vdi_blocktri_marginals_adjoint(const vdi_blocktri *bt, const void *S, const void *O,
                                            const void *Sbar, const void *Obar, void *work,
                                            void *Dbar, void *Ebar);
/** F through L and M themselves (for functions of the factor that are not listed above). Adds to
 * Dbar, Ebar. */
VDI_API void vdi_blocktri_factor_adjoint(const vdi_blocktri *bt, const void *Lbar, const void *Mbar,
                                         void *work, void *Dbar, void *Ebar);

#endif /* VDI_LINALG_BLOCKTRI_ADJOINT_H */

#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && \
    !defined(VDI_LINALG_BLOCKTRI_ADJOINT_C)
#define VDI_LINALG_BLOCKTRI_ADJOINT_C

VDI__DEF size_t vdi_blocktri_adjoint_worksize(const vdi_blocktri_desc *desc) {
    vdi__bt_sizes s;
    if (!vdi__bt_measure(desc, &s)) return SIZE_MAX;
    return vdi_add_size(vdi_mul_size(s.adjoint, (size_t)vdi_pool_threads(desc->pool)), VDI_ALIGN);
}

/* d log det J = sum <S_t, dD_t> + 2 <O_t, dE_t> */
VDI__FN void vdi__bt_logdet_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    char *lane = vdi__bt_root(g);
    const int64_t lanes = (int64_t)(g->unit / g->real);
    (void)work;
    for (int64_t w = 0; w < lanes; w++) {
        vdi_dtype_store(g->bt->dtype, lane, w,
                        w < g->used ? vdi_dtype_load(g->bt->dtype, job->in[0], g->first + w) : 0);
    }
    vdi__bt_marginals_run(g, lane, 1, 2, job->out[0], job->out[1]);
}

VDI__DEF void vdi_blocktri_logdet_adjoint(const vdi_blocktri *bt, const void *ldbar, void *work,
                                          void *Dbar, void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored) return;
    job.bt = bt;
    job.run = vdi__bt_logdet_adjoint_group;
    job.in[0] = ldbar;
    job.out[0] = Dbar;
    job.out[1] = Ebar;
    vdi__bt_run(&job, work);
}

/* acc_D(t) -= sum_k a_k(t) b_k(t)', acc_E(t) -= sum_k a_k(t+1) b_k(t)' with the vectors a_1 = a,
   a_2 = b if `both`: k = 1, 2. With `swap` acc_E takes b_k(t) a_k(t+1)' instead. The `first` call
   begins at 0. */
VDI__FN void vdi__bt_outer(const vdi__bt *g, char *a, char *b, bool both, bool swap, bool first,
                           char *accD, char *accE) {
    const int64_t u = g->lanes, apart = (b - a) / (int64_t)g->real;
    vdi__matrix left = {a, u, apart}, right = {b, -apart, u}, sum = {accD, g->d * u, u};
    vdi__target to = {accD, g->d * u, u};
    const vdi__bt_op o = {g->rows, false, g->d,   g->d, both ? 2 : 1, first ? NULL : &sum,
                          NULL,    &left, &right, NULL, NULL,         &to,
                          NULL};
    for (int64_t t = 0; t < g->T; t++) {
        const size_t at = (size_t)(t * g->d) * g->unit, next = at + (size_t)g->d * g->unit;
        left.data = a + at;
        right.data = b + at;
        to.data = vdi__bt_block(g, accD, t);
        sum.data = to.data;
        g->k->blocktri_op(&o);
        if (t + 1 == g->T) continue;
        left.data = a + (swap ? at : next);
        right.data = b + (swap ? next : at);
        to.data = vdi__bt_block(g, accE, t);
        sum.data = to.data;
        g->k->blocktri_op(&o);
    }
}

/* w = J^{-1} xbar; hbar += w; Dbar_t -= (w_t x_t' + x_t w_t')/2; Ebar_t -= w_{t+1} x_t' + x_{t+1}
 * w_t' */
VDI__FN void vdi__bt_solve_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const size_t blocks = (size_t)(g->bt->T * g->dd) * g->unit;
    const size_t vector = (size_t)(g->bt->T * g->d) * g->unit;
    char *accD = work;
    char *accE = work + blocks;
    char *w = work + 2 * blocks;
    char *x = w + vector;
    const bool matrices = job->out[1] || job->out[2];
    for (int64_t s = 0; s < job->nrhs; s++) {
        vdi__bt_fetch(g, job->in[1], s, 0, g->d, 0, g->T, w);
        vdi__bt_sweep(g, VDI__BT_FORWARD | VDI__BT_BACKWARD, 1, 1, w);
        if (job->out[0]) vdi__bt_give(g, w, 1, job->out[0], s, 0, g->d, 0, g->T);
        if (!matrices) continue;
        vdi__bt_fetch(g, job->in[0], s, 0, g->d, 0, g->T, x);
        vdi__bt_outer(g, w, x, true, false, s == 0, accD, accE);
    }
    if (job->out[1]) vdi__bt_give(g, accD, 0.5, job->out[1], 0, 0, g->dd, 0, g->T);
    if (job->out[2]) vdi__bt_give(g, accE, 1, job->out[2], 0, 1, g->dd, 0, g->T - 1);
}

VDI__DEF void vdi_blocktri_solve_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *x,
                                         const void *xbar, void *work, void *hbar, void *Dbar,
                                         void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored || nrhs < 1) return;
    job.bt = bt;
    job.run = vdi__bt_solve_adjoint_group;
    job.nrhs = nrhs;
    job.in[0] = x;
    job.in[1] = xbar;
    job.out[0] = hbar;
    job.out[1] = Dbar;
    job.out[2] = Ebar;
    vdi__bt_run(&job, work);
}

/* From the cotangents of the factor to those of D and E. lbar and mbar hold, for each block, the
   transposes of Lbar p^{-1/2} and Mbar p^{-1/2}; only what is on and above the diagonal of lbar
   counts. From the last block up:
     2 Dbar_t = Q + Q', Q = U^{-T} half(U' Lbar p^{-1/2}) U^{-1},
     Mbar_{t-1} -= 2 Dbar_t M_{t-1},  Ebar_{t-1} = Mbar_{t-1} L_{t-1}^{-1},
     Lbar_{t-1} -= lower(Ebar_{t-1}' M_{t-1}). */
VDI__FN void vdi__bt_factor_adjoint_run(const vdi__bt *g, char *lbar, char *mbar, void *Dbar,
                                        void *Ebar) {
    char *unit = vdi__bt_scratch(g, 0);
    char *x = vdi__bt_scratch(g, 1);
    char *y = vdi__bt_scratch(g, 2);
    char *z = vdi__bt_scratch(g, 3);
    char *twice = vdi__bt_scratch(g, 4);
    const vdi__matrix I = vdi__bt_plain(g, unit), X = vdi__bt_plain(g, x), Y = vdi__bt_plain(g, y);
    const vdi__matrix Z = vdi__bt_plain(g, z), W = vdi__bt_plain(g, twice);
    const vdi__matrix Xt = vdi__bt_transposed(g, x), Yt = vdi__bt_transposed(g, y);
    for (int64_t t = g->T - 1; t >= 0; t--) {
        const vdi__matrix U = {vdi__bt_block(g, g->L, t), g->column, g->row};
        const vdi__matrix here = vdi__bt_plain(g, vdi__bt_block(g, lbar, t));
        vdi__bt_map(g, VDI__BT_UNIT, &U, &U, 1, unit);
        vdi__bt_mul(g, NULL, &here, &I, x);
        vdi__bt_map(g, VDI__BT_HALF, &X, &X, 1, y);
        vdi__bt_solve_upper(g, t, false, &Y, NULL, NULL, x);
        vdi__bt_solve_upper(g, t, false, vdi__bt_neighbours(g, x, y) ? &Y : &Xt, NULL, NULL, z);
        vdi__bt_symmetric(g, z, -1, twice); /* the product above came with a minus */
        if (Dbar) vdi__bt_give(g, twice, 0.5, Dbar, 0, 0, g->dd, t, 1);
        if (t == 0) break;
        char *l = vdi__bt_block(g, lbar, t - 1);
        const vdi__matrix N = vdi__bt_stored(g, g->N, t - 1), before = vdi__bt_plain(g, l);
        const vdi__matrix M = vdi__bt_plain(g, vdi__bt_block(g, mbar, t - 1));
        vdi__bt_mul(g, &M, &N, &W, x);
        vdi__bt_solve_upper(g, t - 1, false, &X, NULL, NULL, y);
        vdi__bt_map(g, VDI__BT_SCALE, &Yt, &Yt, 1, z);
        if (Ebar) vdi__bt_give(g, z, 1, Ebar, 0, 1, g->dd, t - 1, 1);
        vdi__bt_mul(g, &before, &N, &Z, l);
    }
}

/* u = L^{-1} zbar; epsbar += u; Lbar_t = -lower(z_t u_t'), Mbar_t = -z_{t+1} u_t' */
VDI__FN void vdi__bt_sample_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const size_t blocks = (size_t)(g->bt->T * g->dd) * g->unit;
    const size_t vector = (size_t)(g->bt->T * g->d) * g->unit;
    char *lbar = work;
    char *mbar = work + blocks;
    char *u = work + 2 * blocks;
    char *z = u + vector;
    const bool matrices = job->out[1] || job->out[2];
    for (int64_t s = 0; s < job->nrhs; s++) {
        vdi__bt_fetch(g, job->in[1], s, 0, g->d, 0, g->T, u);
        vdi__bt_sweep(g, VDI__BT_FORWARD | VDI__BT_ROOT, 1, 1, u);
        if (job->out[0]) vdi__bt_give(g, u, 1, job->out[0], s, 0, g->d, 0, g->T);
        if (!matrices) continue;
        vdi__bt_sweep(g, VDI__BT_ROOT, 1, 1, u); /* u p^{-1/2} */
        vdi__bt_fetch(g, job->in[0], s, 0, g->d, 0, g->T, z);
        vdi__bt_outer(g, u, z, false, true, s == 0, lbar, mbar);
    }
    if (matrices) vdi__bt_factor_adjoint_run(g, lbar, mbar, job->out[1], job->out[2]);
}

VDI__DEF void vdi_blocktri_sample_adjoint(const vdi_blocktri *bt, int64_t nrhs, const void *z,
                                          const void *zbar, void *work, void *epsbar, void *Dbar,
                                          void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored || nrhs < 1) return;
    job.bt = bt;
    job.run = vdi__bt_sample_adjoint_group;
    job.nrhs = nrhs;
    job.in[0] = z;
    job.in[1] = zbar;
    job.out[0] = epsbar;
    job.out[1] = Dbar;
    job.out[2] = Ebar;
    vdi__bt_run(&job, work);
}

VDI__FN void vdi__bt_factor_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    const size_t blocks = (size_t)(g->bt->T * g->dd) * g->unit;
    char *lbar = work, *mbar = work + blocks, *x = vdi__bt_scratch(g, 0);
    const vdi__matrix X = vdi__bt_transposed(g, x);
    memset(work, 0, 2 * blocks);
    for (int64_t t = 0; t < g->T; t++) {
        const vdi__matrix p = vdi__bt_pivots(g, t);
        if (job->in[0]) {
            vdi__bt_fetch(g, job->in[0], 0, 0, g->dd, t, 1, x);
            vdi__bt_map(g, VDI__BT_ROOT_ROWS, &X, &p, 1, vdi__bt_block(g, lbar, t));
        }
        if (job->in[1] && t + 1 < g->T) {
            vdi__bt_fetch(g, job->in[1], 0, 1, g->dd, t, 1, x);
            vdi__bt_map(g, VDI__BT_ROOT_ROWS, &X, &p, 1, vdi__bt_block(g, mbar, t));
        }
    }
    vdi__bt_factor_adjoint_run(g, lbar, mbar, job->out[0], job->out[1]);
}

VDI__DEF void vdi_blocktri_factor_adjoint(const vdi_blocktri *bt, const void *Lbar,
                                          const void *Mbar, void *work, void *Dbar, void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored) return;
    job.bt = bt;
    job.run = vdi__bt_factor_adjoint_group;
    job.in[0] = Lbar;
    job.in[1] = Mbar;
    job.out[0] = Dbar;
    job.out[1] = Ebar;
    vdi__bt_run(&job, work);
}

/* The map from J to the blocks of its inverse is the gradient of log det J, so its derivative is
   symmetric: the cotangents are the derivative of (S, 2 O) in the direction dD = sym(Sbar), dE =
   Obar/2. With G_t = E_t P_t^{-1} and P_t the eliminated block:
     dP_{t+1} = dD_{t+1} - Z G' - G Z',  Z = dE - G dP/2;   dG' = P^{-1} (dE - G dP)';
     dO = -dS_{t+1} G - S_{t+1} dG;   dS_t = -P^{-1} dP P^{-1} - dG' O - G' dO. */
VDI__FN void vdi__bt_marginals_adjoint_down(const vdi__bt *g, const vdi__bt_job *job, char *dP,
                                            char *dG) {
    char *gt = vdi__bt_scratch(g, 0);
    char *in = vdi__bt_scratch(g, 1);
    char *dE = vdi__bt_scratch(g, 2);
    char *y = vdi__bt_scratch(g, 3);
    char *z = vdi__bt_scratch(g, 4);
    char *x = vdi__bt_scratch(g, 5);
    const vdi__matrix Gt = vdi__bt_plain(g, gt), G = vdi__bt_transposed(g, gt);
    const vdi__matrix in_t = vdi__bt_transposed(g, in), E = vdi__bt_plain(g, dE);
    const vdi__matrix Y = vdi__bt_plain(g, y), Z = vdi__bt_plain(g, z);
    for (int64_t t = 0; t < g->T; t++) {
        char *here = vdi__bt_block(g, dP, t);
        vdi__bt_fetch(g, job->in[2], 0, 0, g->dd, t, 1, in);
        if (t == 0) {
            vdi__bt_symmetric(g, in, 0.5, here);
        } else { /* x holds -G Z' */
            vdi__bt_symmetric(g, in, 0.5, y);
            vdi__bt_symmetric(g, x, 1, z);
            vdi__bt_map(g, VDI__BT_SUM, &Y, &Z, 1, here);
        }
        if (t + 1 == g->T) break;
        const vdi__matrix N = vdi__bt_stored(g, g->N, t), P = vdi__bt_plain(g, here);
        vdi__bt_solve_upper(g, t, false, &N, NULL, NULL, gt);
        if (job->in[3]) {
            vdi__bt_fetch(g, job->in[3], 0, 1, g->dd, t, 1, in);
            vdi__bt_map(g, VDI__BT_SCALE, &in_t, &in_t, 0.5, dE);
        } else {
            memset(dE, 0, (size_t)g->dd * g->unit);
        }
        vdi__bt_mul(g, &E, &P, &Gt, y);
        vdi__bt_solve_block(g, t, &Y, z, vdi__bt_block(g, dG, t));
        vdi__bt_map(g, VDI__BT_SUM, &Y, &E, 0.5, z);
        vdi__bt_mul(g, NULL, &G, &Z, x);
    }
}

VDI__FN void vdi__bt_marginals_adjoint_up(const vdi__bt *g, const vdi__bt_job *job, char *dP,
                                          char *dG) {
    char *gt = vdi__bt_scratch(g, 0);
    char *y = vdi__bt_scratch(g, 3);
    char *z = vdi__bt_scratch(g, 4);
    char *x = vdi__bt_scratch(g, 5);
    char *s = vdi__bt_scratch(g, 6);
    char *o = vdi__bt_scratch(g, 7);
    char *dO = vdi__bt_scratch(g, 8);
    char *dS = vdi__bt_scratch(g, 9);
    char *spare = vdi__bt_scratch(g, 10);
    const vdi__matrix Gt = vdi__bt_plain(g, gt), G = vdi__bt_transposed(g, gt);
    const vdi__matrix X = vdi__bt_plain(g, x), Y = vdi__bt_plain(g, y), Z = vdi__bt_plain(g, z);
    const vdi__matrix Yt = vdi__bt_transposed(g, y), S = vdi__bt_plain(g, s);
    const vdi__matrix O = vdi__bt_plain(g, o), Od = vdi__bt_plain(g, dO), Sd = vdi__bt_plain(g, dS);
    const vdi__matrix copy = vdi__bt_plain(g, spare);
    for (int64_t t = g->T - 1; t >= 0; t--) {
        const vdi__matrix P = vdi__bt_plain(g, vdi__bt_block(g, dP, t));
        vdi__bt_solve_block(g, t, &P, x, y);
        vdi__bt_map(g, VDI__BT_SCALE, &Yt, &Yt, -1, z);
        vdi__bt_solve_block(g, t, &Z, x, y); /* -P^{-1} dP P^{-1} */
        if (t + 1 < g->T) {
            char *dg = vdi__bt_block(g, dG, t);
            const vdi__matrix N = vdi__bt_stored(g, g->N, t);
            const vdi__matrix Gd = vdi__bt_plain(g, dg), Gdt = vdi__bt_transposed(g, dg);
            vdi__bt_solve_upper(g, t, false, &N, NULL, NULL, gt);
            vdi__bt_fetch(g, job->in[0], 0, 0, g->dd, t + 1, 1, s);
            vdi__bt_fetch(g, job->in[1], 0, 1, g->dd, t, 1, o);
            vdi__bt_mul(g, NULL, &Sd, vdi__bt_neighbours(g, gt, spare) ? &copy : &G, x);
            vdi__bt_mul(g, &X, &S, vdi__bt_neighbours(g, dg, spare) ? &copy : &Gdt, dO);
            if (job->out[1]) vdi__bt_give(g, dO, 2, job->out[1], 0, 1, g->dd, t, 1);
            vdi__bt_mul(g, &Y, &Gd, &O, x);
            vdi__bt_mul(g, &X, &Gt, &Od, y);
        }
        vdi__bt_symmetric(g, y, 0.5, dS);
        if (job->out[0]) vdi__bt_give(g, dS, 1, job->out[0], 0, 0, g->dd, t, 1);
    }
}

VDI__FN void vdi__bt_marginals_adjoint_group(const vdi__bt *g, const vdi__bt_job *job, char *work) {
    char *dG = work + (size_t)(g->bt->T * g->dd) * g->unit;
    vdi__bt_marginals_adjoint_down(g, job, work, dG);
    vdi__bt_marginals_adjoint_up(g, job, work, dG);
}

VDI__DEF void vdi_blocktri_marginals_adjoint(const vdi_blocktri *bt, const void *S, const void *O,
                                             const void *Sbar, const void *Obar, void *work,
                                             void *Dbar, void *Ebar) {
    vdi__bt_job job = VDI__ZERO;
    if (!bt->factored) return;
    job.bt = bt;
    job.run = vdi__bt_marginals_adjoint_group;
    job.in[0] = S;
    job.in[1] = O;
    job.in[2] = Sbar;
    job.in[3] = Obar;
    job.out[0] = Dbar;
    job.out[1] = Ebar;
    vdi__bt_run(&job, work);
}
#endif
