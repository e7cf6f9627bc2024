/* model/calcium/spine.h - two traces, of a dendrite and of a spine on it, and two streams of spikes
 *
 * Two streams of spikes, back-propagating b and synaptic y; the spine sees both. Parameters gamma_d
 * alpha_d beta_d sigma_d gamma_s alpha_b alpha_y beta_s sigma_s:
 *     f^d = sp(alpha_d) AR(gamma_d) b + beta_d + e
 *     f^s = AR(gamma_s)(sp(alpha_b) b + sp(alpha_y) y) + beta_s + e'
 *
 * The notation is that of calcium.h. This file declares nothing, and needs likelihood.h behind it.
 */
#ifndef VDI_MODEL_CALCIUM_SPINE_H
#define VDI_MODEL_CALCIUM_SPINE_H
#include "calcium.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && \
    !defined(VDI_MODEL_CALCIUM_SPINE_C)
#define VDI_MODEL_CALCIUM_SPINE_C

/* Initial values and ranges: those of the published notebooks (the noise was drawn as a standard
 * deviation there: its range is the raw number of it). */
static const vdi_calcium_param vdi__calcium_spine_params[] = {
    {"gamma_d", VDI_CALCIUM_SIGMOID, 3.5, 2.75, 4.6, true, "decay in the dendrite per bin"},
    {"alpha_d", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false,
     "fluorescence of a back-propagating spike in the dendrite"},
    {"beta_d", VDI_CALCIUM_IDENTITY, -0.3, -0.3, -0.3, false, "baseline of the dendrite"},
    {"sigma_d", VDI_CALCIUM_SOFTPLUS, -2.5, -2.624056, -1.821183, false,
     "noise of the dendrite, standard deviation"},
    {"gamma_s", VDI_CALCIUM_SIGMOID, 3.5, 2.75, 4.6, true, "decay in the spine per bin"},
    {"alpha_b", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false,
     "fluorescence of a back-propagating spike in the spine"},
    {"alpha_y", VDI_CALCIUM_SOFTPLUS, 0, -1.25, -0.43, false,
     "fluorescence of a synaptic event in the spine"},
    {"beta_s", VDI_CALCIUM_IDENTITY, -0.3, -0.3, -0.3, false, "baseline of the spine"},
    {"sigma_s", VDI_CALCIUM_SOFTPLUS, -2.5, -2.624056, -1.821183, false,
     "noise of the spine, standard deviation"},
};
enum {
    VDI__SPINE_GAMMA_D = 0,
    VDI__SPINE_ALPHA_D,
    VDI__SPINE_BETA_D,
    VDI__SPINE_SIGMA_D,
    VDI__SPINE_GAMMA_S,
    VDI__SPINE_ALPHA_B,
    VDI__SPINE_ALPHA_Y,
    VDI__SPINE_BETA_S,
    VDI__SPINE_SIGMA_S
};

/* state 0: the dendrite's calcium; 1: the spine's */
VDI__FN void vdi__spine_step(const double *q, double bin, const double *s, double *state,
                             double *y) {
    (void)bin;
    state[0] = s[0] + q[VDI__SPINE_GAMMA_D] * state[0];
    state[1] = q[VDI__SPINE_ALPHA_B] * s[0] + q[VDI__SPINE_ALPHA_Y] * s[1] +
               q[VDI__SPINE_GAMMA_S] * state[1];
    y[0] = q[VDI__SPINE_ALPHA_D] * state[0];
    y[1] = state[1];
}

/* state 0: b in the dendrite; 1: b in the spine; 2: y in the spine */
VDI__FN void vdi__spine_forward(const vdi__calcium_note *u, char *scratch) {
    (void)scratch;
    memcpy(u->state[1], u->state[0], (size_t)u->T * u->row);
    vdi__calcium_decay(u, vdi__calcium_parameter(u, VDI__SPINE_GAMMA_D), u->state[0]);
    vdi__calcium_decay(u, vdi__calcium_parameter(u, VDI__SPINE_GAMMA_S), u->state[1]);
    vdi__calcium_decay(u, vdi__calcium_parameter(u, VDI__SPINE_GAMMA_S), u->state[2]);
}

/* a carry for each state */
VDI__FN void vdi__spine_backward_bin(const vdi__calcium_note *u, int64_t t, int stream,
                                     vdi__calcium_adjoint *a) {
    const vdi__calcium_readout *r = &u->ops->readout[stream];
    const int gamma = stream ? VDI__SPINE_GAMMA_S : VDI__SPINE_GAMMA_D;
    for (int i = 0; i < r->terms; i++) {
        char *dc = a->scratch[0];
        vdi__calcium_mul(u, vdi__calcium_parameter(u, r->amplitude[i]), a->readout, dc);
        vdi__calcium_decay_back(u, t, vdi__calcium_parameter(u, gamma), u->state[r->state[i]], dc,
                                a->carry[r->state[i]], vdi__calcium_gradient(u, a, gamma),
                                a->spikes[i]);
    }
}

static const vdi__calcium_ops vdi__calcium_spine = {
    "spine",
    NULL,
    vdi__calcium_spine_params,
    (int)VDI__COUNT(vdi__calcium_spine_params),
    2,
    3,
    {{1, {VDI__SPINE_ALPHA_D, 0}, {0, 0}, VDI__SPINE_BETA_D, VDI__SPINE_SIGMA_D},
     {2, {VDI__SPINE_ALPHA_B, VDI__SPINE_ALPHA_Y}, {1, 2}, VDI__SPINE_BETA_S, VDI__SPINE_SIGMA_S}},
    {0, 2},
    vdi__spine_step,
    vdi__spine_forward,
    vdi__spine_backward_bin,
    NULL,
};
#endif
