/* model/calcium/ar.h - linear models of calcium: one decay (AR(1)), and a decay with a rise (AR(2))
 *
 * ar1, FOOPSI's model (Vogelstein et al. 2010); parameters gamma alpha beta sigma:
 *     c_t = s_t + sg(gamma) c_{t-1};  f_t = sp(alpha) c_t + beta + e_t
 * ar2, a decay and a rise in a row (an AR(2) process whose two roots are the factors); parameters
 * gamma rho alpha beta sigma:
 *     c_t as above;  d_t = (1 - sg(rho)) c_t + sg(rho) d_{t-1};  f_t = sp(alpha) d_t + beta + e_t
 *
 * The notation is that of calcium.h. This file declares nothing, and needs likelihood.h behind it.
 */
#ifndef VDI_MODEL_CALCIUM_AR_H
#define VDI_MODEL_CALCIUM_AR_H
#include "calcium.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && !defined(VDI_MODEL_CALCIUM_AR_C)
#define VDI_MODEL_CALCIUM_AR_C

/* Initial values and ranges: those of the published notebooks (the noise was drawn as a standard
 * deviation there: its range is the raw number of it). */
static const vdi_calcium_param vdi__calcium_ar1_params[] = {
    {"gamma", VDI_CALCIUM_SIGMOID, 3.5, 2.75, 4.6, true, "decay per bin"},
    {"alpha", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false, "fluorescence of one spike"},
    {"beta", VDI_CALCIUM_IDENTITY, -0.3, -0.3, -0.3, false, "baseline"},
    {"sigma", VDI_CALCIUM_SOFTPLUS, -2.5, -2.624056, -1.821183, false,
     "standard deviation of the noise"},
};
enum { VDI__AR_GAMMA = 0, VDI__AR1_ALPHA = 1, VDI__AR2_RHO = 1, VDI__AR2_ALPHA = 2 };
static const vdi_calcium_param vdi__calcium_ar2_params[] = {
    {"gamma", VDI_CALCIUM_SIGMOID, 3.5, 2.75, 4.6, true, "decay per bin"},
    {"rho", VDI_CALCIUM_SIGMOID, 1, 0, 2, true,
     "rise per bin: what is left of the gap to the calcium"},
    {"alpha", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false, "fluorescence per unit of d"},
    {"beta", VDI_CALCIUM_IDENTITY, -0.3, -0.3, -0.3, false, "baseline"},
    {"sigma", VDI_CALCIUM_SOFTPLUS, -2.5, -2.624056, -1.821183, false,
     "standard deviation of the noise"},
};

/* ======== one decay =========================================================================== */

VDI__FN void vdi__ar1_step(const double *q, double bin, const double *s, double *state, double *y) {
    (void)bin;
    state[0] = s[0] + q[VDI__AR_GAMMA] * state[0];
    y[0] = q[VDI__AR1_ALPHA] * state[0];
}

VDI__FN void vdi__ar1_forward(const vdi__calcium_note *u, char *scratch) {
    (void)scratch;
    vdi__calcium_decay(u, vdi__calcium_parameter(u, VDI__AR_GAMMA), u->state[0]);
}

VDI__FN void vdi__ar1_backward_bin(const vdi__calcium_note *u, int64_t t, int stream,
                                   vdi__calcium_adjoint *a) {
    char *dc = a->scratch[0];
    (void)stream;
    vdi__calcium_mul(u, vdi__calcium_parameter(u, VDI__AR1_ALPHA), a->readout, dc);
    vdi__calcium_decay_back(u, t, vdi__calcium_parameter(u, VDI__AR_GAMMA), u->state[0], dc,
                            a->carry[0], vdi__calcium_gradient(u, a, VDI__AR_GAMMA), a->spikes[0]);
}

static const vdi__calcium_ops vdi__calcium_ar1 = {
    "ar1",
    "linear",
    vdi__calcium_ar1_params,
    (int)VDI__COUNT(vdi__calcium_ar1_params),
    1,
    1,
    {{1, {VDI__AR1_ALPHA, 0}, {0, 0}, 2, 3}, {0, {0, 0}, {0, 0}, 0, 0}},
    {0, 0},
    vdi__ar1_step,
    vdi__ar1_forward,
    vdi__ar1_backward_bin,
    NULL,
};

/* ======== a decay and a rise ================================================================== */

VDI__FN void vdi__ar2_step(const double *q, double bin, const double *s, double *state, double *y) {
    const double rho = q[VDI__AR2_RHO];
    (void)bin;
    state[0] = s[0] + q[VDI__AR_GAMMA] * state[0];
    state[1] = (1 - rho) * state[0] + rho * state[1];
    y[0] = q[VDI__AR2_ALPHA] * state[1];
}

VDI__FN void vdi__ar2_forward(const vdi__calcium_note *u, char *scratch) {
    const char *rho = vdi__calcium_parameter(u, VDI__AR2_RHO);
    char *c = u->state[0], *d = u->state[1], *gap = scratch;
    vdi__calcium_decay(u, vdi__calcium_parameter(u, VDI__AR_GAMMA), c);
    u->k->fill(u->n, 1, gap);
    vdi__calcium_sub(u, gap, rho, gap);
    for (int64_t t = 0; t < u->T; t++) {
        char *now = vdi__calcium_row(u, d, t);
        vdi__calcium_mul(u, gap, vdi__calcium_row(u, c, t), now);
        if (t) vdi__calcium_muladd(u, rho, vdi__calcium_row(u, d, t - 1), now);
    }
}

/* carry 0: the adjoint of c; carry 1: that of d */
VDI__FN void vdi__ar2_backward_bin(const vdi__calcium_note *u, int64_t t, int stream,
                                   vdi__calcium_adjoint *a) {
    const char *rho = vdi__calcium_parameter(u, VDI__AR2_RHO);
    char *drho = vdi__calcium_gradient(u, a, VDI__AR2_RHO);
    char *w = a->scratch[0], *dd = a->carry[1];
    (void)stream;
    vdi__calcium_mul(u, vdi__calcium_parameter(u, VDI__AR2_ALPHA), a->readout, w);
    vdi__calcium_mul(u, rho, dd, dd);
    vdi__calcium_add(u, w, dd);
    if (t) vdi__calcium_muladd(u, dd, vdi__calcium_row(u, u->state[1], t - 1), drho);
    vdi__calcium_mul(u, dd, vdi__calcium_row(u, u->state[0], t), w);
    vdi__calcium_sub(u, drho, w, drho);
    vdi__calcium_mul(u, dd, rho, w);
    vdi__calcium_sub(u, dd, w, w);
    vdi__calcium_decay_back(u, t, vdi__calcium_parameter(u, VDI__AR_GAMMA), u->state[0], w,
                            a->carry[0], vdi__calcium_gradient(u, a, VDI__AR_GAMMA), a->spikes[0]);
}

static const vdi__calcium_ops vdi__calcium_ar2 = {
    "ar2",
    NULL,
    vdi__calcium_ar2_params,
    (int)VDI__COUNT(vdi__calcium_ar2_params),
    1,
    2,
    {{1, {VDI__AR2_ALPHA, 0}, {1, 0}, 3, 4}, {0, {0, 0}, {0, 0}, 0, 0}},
    {0, 0},
    vdi__ar2_step,
    vdi__ar2_forward,
    vdi__ar2_backward_bin,
    NULL,
};
#endif
