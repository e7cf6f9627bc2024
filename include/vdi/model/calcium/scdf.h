/* model/calcium/scdf.h - facilitation and saturation of the bound dye (Speiser et al. 2017)
 *
 * Parameters gamma kappa eta zeta dmax alpha beta sigma:
 *     c_t = s_t + sg(gamma) c_{t-1};  m = min(d_{t-1}, sp(dmax))
 *     d_t = sp(eta) c_t^(1 + sp(zeta)) (sp(dmax) - m) + sg(kappa) m
 *     f_t = sp(alpha) d_t + beta + e_t
 *
 * The notation is that of calcium.h. This file declares nothing, and needs likelihood.h behind it.
 */
#ifndef VDI_MODEL_CALCIUM_SCDF_H
#define VDI_MODEL_CALCIUM_SCDF_H
#include "calcium.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && \
    !defined(VDI_MODEL_CALCIUM_SCDF_C)
#define VDI_MODEL_CALCIUM_SCDF_C

/* Initial values and ranges: those of the published notebooks (the noise was drawn as a standard
 * deviation there: its range is the raw number of it). */
/* dmax was free in the published code; softplus keeps it positive. */
static const vdi_calcium_param vdi__calcium_scdf_params[] = {
    {"gamma", VDI_CALCIUM_SIGMOID, 3, 2.5, 3.5, true, "decay of calcium per bin"},
    {"kappa", VDI_CALCIUM_SIGMOID, 2, 2, 2.5, true, "decay of the bound dye per bin"},
    {"eta", VDI_CALCIUM_SOFTPLUS, -5, -5.9, -4.9, false, "binding"},
    {"zeta", VDI_CALCIUM_SOFTPLUS, 0.8, 0.5, 1, false, "exponent above 1"},
    {"dmax", VDI_CALCIUM_SOFTPLUS, 5.997518, 5.495905, 6.498495, false, "saturation"},
    {"alpha", VDI_CALCIUM_SOFTPLUS, 0.7, 0.2, 0.5, false, "fluorescence per unit of bound dye"},
    {"beta", VDI_CALCIUM_IDENTITY, -0.2, -0.2, -0.2, false, "baseline"},
    {"sigma", VDI_CALCIUM_SOFTPLUS, -4, -3.902006, -2.970628, false,
     "standard deviation of the noise"},
};
enum {
    VDI__SCDF_GAMMA = 0,
    VDI__SCDF_KAPPA,
    VDI__SCDF_ETA,
    VDI__SCDF_ZETA,
    VDI__SCDF_DMAX,
    VDI__SCDF_ALPHA,
    VDI__SCDF_BETA,
    VDI__SCDF_SIGMA
};

VDI__FN void vdi__scdf_step(const double *q, double bin, const double *s, double *state,
                            double *y) {
    const double top = q[VDI__SCDF_DMAX], m = VDI__MIN(state[1], top);
    (void)bin;
    state[0] = s[0] + q[VDI__SCDF_GAMMA] * state[0];
    state[1] = q[VDI__SCDF_ETA] * pow(state[0], 1 + q[VDI__SCDF_ZETA]) * (top - m) +
               q[VDI__SCDF_KAPPA] * m;
    y[0] = q[VDI__SCDF_ALPHA] * state[1];
}

/* state 2: log c, with c held off 0 so that 0 log 0 is 0; state 3: A = sp(eta) c^(1 + sp(zeta)) */
VDI__FN void vdi__scdf_forward(const vdi__calcium_note *u, char *scratch) {
    char *c = u->state[0], *d = u->state[1], *log_c = u->state[2], *A = u->state[3];
    char *one = scratch, *two = scratch + u->row;
    const char *top = vdi__calcium_parameter(u, VDI__SCDF_DMAX);
    const size_t n = u->n, all = n * (size_t)u->T;
    const vdi__kernels *k = u->k;
    vdi__calcium_decay(u, vdi__calcium_parameter(u, VDI__SCDF_GAMMA), c);
    k->clip(all, 1e-30, HUGE_VAL, c, log_c);
    k->unary[VDI_LOG](all, 0, log_c, log_c);
    k->fill(n, 1, one);
    vdi__calcium_add(u, vdi__calcium_parameter(u, VDI__SCDF_ZETA), one);
    for (int64_t t = 0; t < u->T; t++) {
        vdi__calcium_mul(u, one, vdi__calcium_row(u, log_c, t), vdi__calcium_row(u, A, t));
    }
    k->unary[VDI_EXP](all, 0, A, A);
    memset(one, 0, u->row); /* m of the bin before */
    for (int64_t t = 0; t < u->T; t++) {
        char *At = vdi__calcium_row(u, A, t), *dt = vdi__calcium_row(u, d, t);
        vdi__calcium_mul(u, vdi__calcium_parameter(u, VDI__SCDF_ETA), At, At);
        vdi__calcium_sub(u, top, one, two);
        vdi__calcium_mul(u, At, two, dt);
        vdi__calcium_muladd(u, vdi__calcium_parameter(u, VDI__SCDF_KAPPA), one, dt);
        k->binary[VDI_MIN](n, dt, 1, top, 1, one);
    }
}

/* dm, the derivative by m_t, reaches d_t where d_t is below the top, else the top. `open`: top -
 * m_t, above 0 where it is below. */
VDI__FN void vdi__scdf_clamp_back(const vdi__calcium_note *u, const char *open, const char *dm,
                                  char *dd, char *dtop) {
    VDI__BOTH(u->dtype, {
        const real *below = (const real *)open, *m = (const real *)dm;
        real *d = (real *)dd, *top = (real *)dtop;
        for (size_t l = 0; l < u->n; l++) {
            if (below[l] > 0)
                d[l] += m[l];
            else
                top[l] += m[l];
        }
    });
}

/* carry 0: the adjoint of c; carry 1: that of m_t */
VDI__FN void vdi__scdf_backward_bin(const vdi__calcium_note *u, int64_t t, int stream,
                                    vdi__calcium_adjoint *a) {
    const vdi__kernels *k = u->k;
    const size_t n = u->n;
    const char *A = vdi__calcium_row(u, u->state[3], t);
    const char *log_c = vdi__calcium_row(u, u->state[2], t);
    const char *top = vdi__calcium_parameter(u, VDI__SCDF_DMAX);
    char *dd = a->scratch[0], *m = a->scratch[1], *dA = a->scratch[2], *w = a->scratch[3];
    char *dm = a->carry[1], *dtop = vdi__calcium_gradient(u, a, VDI__SCDF_DMAX);
    (void)stream;
    vdi__calcium_mul(u, vdi__calcium_parameter(u, VDI__SCDF_ALPHA), a->readout, dd);
    k->binary[VDI_MIN](n, vdi__calcium_row(u, u->state[1], t), 1, top, 1, m);
    vdi__calcium_sub(u, top, m, dA);
    vdi__scdf_clamp_back(u, dA, dm, dd, dtop);
    if (t)
        k->binary[VDI_MIN](n, vdi__calcium_row(u, u->state[1], t - 1), 1, top, 1, m);
    else
        memset(m, 0, u->row);
    vdi__calcium_muladd(u, dd, A, dtop);
    vdi__calcium_muladd(u, dd, m, vdi__calcium_gradient(u, a, VDI__SCDF_KAPPA));
    vdi__calcium_sub(u, vdi__calcium_parameter(u, VDI__SCDF_KAPPA), A, dm);
    vdi__calcium_mul(u, dd, dm, dm);
    vdi__calcium_sub(u, top, m, dA);
    vdi__calcium_mul(u, dd, dA, dA);
    vdi__calcium_mul(u, dA, A, dA); /* from here on the derivative by log A */
    vdi__calcium_div(u, dA, vdi__calcium_parameter(u, VDI__SCDF_ETA), w);
    vdi__calcium_add(u, w, vdi__calcium_gradient(u, a, VDI__SCDF_ETA));
    vdi__calcium_muladd(u, dA, log_c, vdi__calcium_gradient(u, a, VDI__SCDF_ZETA));
    k->clip(n, 1e-30, HUGE_VAL, vdi__calcium_row(u, u->state[0], t), w);
    vdi__calcium_div(u, dA, w, w);
    memcpy(dd, w, u->row); /* dc = (1 + zeta) dlog A / c */
    vdi__calcium_muladd(u, w, vdi__calcium_parameter(u, VDI__SCDF_ZETA), dd);
    vdi__calcium_decay_back(u, t, vdi__calcium_parameter(u, VDI__SCDF_GAMMA), u->state[0], dd,
                            a->carry[0], vdi__calcium_gradient(u, a, VDI__SCDF_GAMMA),
                            a->spikes[0]);
}

static const vdi__calcium_ops vdi__calcium_scdf = {
    "scdf",
    NULL,
    vdi__calcium_scdf_params,
    (int)VDI__COUNT(vdi__calcium_scdf_params),
    1,
    4,
    {{1, {VDI__SCDF_ALPHA, 0}, {1, 0}, VDI__SCDF_BETA, VDI__SCDF_SIGMA}, {0, {0, 0}, {0, 0}, 0, 0}},
    {0, 0},
    vdi__scdf_step,
    vdi__scdf_forward,
    vdi__scdf_backward_bin,
    NULL,
};
#endif
