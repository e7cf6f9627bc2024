/* model/calcium/mlphys.h - the physiological model of MLspike (Deneux et al. 2016) in discrete time
 *
 * Parameters tau c0 hill gamma kappa alpha beta sigma; delta is the width of a bin:
 *     c_t = s_t + exp(-delta / sp(tau)) c_{t-1}
 *     u = (sp(c0) + c_t)^sp(hill) - sp(c0)^sp(hill);  a = 1 + sp(gamma) u
 *     d_t = u/a + (d_{t-1} - u/a) exp(-a delta / sp(kappa));  f_t = sp(alpha) d_t + beta + e_t
 * The rise is the exact solution of d' = (u - a d)/sp(kappa) over the bin with u held, for bins of
 * any width; the usual Euler step is its first order, and needs delta much smaller than the rise
 * time sp(kappa).
 *
 * The notation is that of calcium.h. This file declares nothing, and needs likelihood.h behind it.
 */
#ifndef VDI_MODEL_CALCIUM_MLPHYS_H
#define VDI_MODEL_CALCIUM_MLPHYS_H
#include "calcium.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && \
    !defined(VDI_MODEL_CALCIUM_MLPHYS_C)
#define VDI_MODEL_CALCIUM_MLPHYS_C

/* Initial values and ranges: those of the published notebooks (the noise was drawn as a standard
 * deviation there: its range is the raw number of it). */
/* tau and hill were free in the published code; softplus keeps them positive. */
static const vdi_calcium_param vdi__calcium_mlphys_params[] = {
    {"tau", VDI_CALCIUM_SOFTPLUS, 1.702618, -0.432752, 1.854587, false,
     "decay time of calcium, seconds"},
    {"c0", VDI_CALCIUM_SOFTPLUS, 0.83, -2.252168, 1.854587, false,
     "calcium at rest, in units of one spike"},
    {"hill", VDI_CALCIUM_SOFTPLUS, 1.667053, 0.541325, 2.252168, false, "Hill exponent"},
    {"gamma", VDI_CALCIUM_SOFTPLUS, -4.8, -5.9, -2.252168, false, "saturation"},
    {"kappa", VDI_CALCIUM_SOFTPLUS, -2.62, -3.902006, -1.507772, false,
     "rise time of the dye, seconds"},
    {"alpha", VDI_CALCIUM_SOFTPLUS, -1.15, -2.252168, -0.432752, false,
     "fluorescence per unit of d"},
    {"beta", VDI_CALCIUM_IDENTITY, 0, 0, 0, false, "baseline"},
    {"sigma", VDI_CALCIUM_SOFTPLUS, -3.5, -3.902006, -2.252168, false,
     "standard deviation of the noise"},
};
enum {
    VDI__PHYS_TAU = 0,
    VDI__PHYS_C0,
    VDI__PHYS_HILL,
    VDI__PHYS_GAMMA,
    VDI__PHYS_KAPPA,
    VDI__PHYS_ALPHA,
    VDI__PHYS_BETA,
    VDI__PHYS_SIGMA
};

VDI__FN void vdi__mlphys_step(const double *q, double bin, const double *s, double *state,
                              double *y) {
    const double c0 = q[VDI__PHYS_C0], hill = q[VDI__PHYS_HILL];
    state[0] = s[0] + exp(-bin / q[VDI__PHYS_TAU]) * state[0];
    const double x = pow(c0 + state[0], hill) - pow(c0, hill);
    const double a = 1 + q[VDI__PHYS_GAMMA] * x;
    state[1] = x / a + (state[1] - x / a) * exp(-a * bin / q[VDI__PHYS_KAPPA]);
    y[0] = q[VDI__PHYS_ALPHA] * state[1];
}

/* decay = exp(-delta/tau); width is left at delta */
VDI__FN void vdi__mlphys_decay(const vdi__calcium_note *u, char *decay, char *width) {
    u->k->fill(u->n, u->desc.bin, width);
    vdi__calcium_div(u, width, vdi__calcium_parameter(u, VDI__PHYS_TAU), decay);
    u->k->unary[VDI_NEG](u->n, 0, decay, decay);
    u->k->unary[VDI_EXP](u->n, 0, decay, decay);
}

/* state 2: log(c0 + c); 3: (c0 + c)^hill; 4: u/a; 5: E = exp(-a delta/kappa) */
VDI__FN void vdi__mlphys_forward(const vdi__calcium_note *u, char *scratch) {
    char *c = u->state[0], *d = u->state[1], *log_x = u->state[2], *power = u->state[3];
    char *goal = u->state[4], *E = u->state[5];
    char *one = scratch, *two = scratch + u->row;
    const char *c0 = vdi__calcium_parameter(u, VDI__PHYS_C0);
    const char *hill = vdi__calcium_parameter(u, VDI__PHYS_HILL);
    const size_t n = u->n, all = n * (size_t)u->T;
    const vdi__kernels *k = u->k;
    vdi__mlphys_decay(u, one, two);
    vdi__calcium_decay(u, one, c);
    for (int64_t t = 0; t < u->T; t++) {
        k->binary[VDI_ADD](n, c0, 1, vdi__calcium_row(u, c, t), 1, vdi__calcium_row(u, log_x, t));
    }
    k->unary[VDI_LOG](all, 0, log_x, log_x);
    for (int64_t t = 0; t < u->T; t++) {
        vdi__calcium_mul(u, hill, vdi__calcium_row(u, log_x, t), vdi__calcium_row(u, power, t));
    }
    k->unary[VDI_EXP](all, 0, power, power);
    k->binary[VDI_POW](n, c0, 1, hill, 1, one); /* c0^hill */
    vdi__calcium_div(u, two, vdi__calcium_parameter(u, VDI__PHYS_KAPPA), two);
    k->unary[VDI_NEG](n, 0, two, two); /* -delta/kappa */
    for (int64_t t = 0; t < u->T; t++) {
        char *g = vdi__calcium_row(u, goal, t), *x = vdi__calcium_row(u, E, t);
        vdi__calcium_sub(u, vdi__calcium_row(u, power, t), one, g);
        k->fill(n, 1, x);
        vdi__calcium_muladd(u, vdi__calcium_parameter(u, VDI__PHYS_GAMMA), g, x);
        vdi__calcium_div(u, g, x, g);
        vdi__calcium_mul(u, two, x, x);
    }
    k->unary[VDI_EXP](all, 0, E, E);
    memset(one, 0, u->row);
    for (int64_t t = 0; t < u->T; t++) {
        char *now = vdi__calcium_row(u, d, t), *g = vdi__calcium_row(u, goal, t);
        vdi__calcium_sub(u, t ? vdi__calcium_row(u, d, t - 1) : one, g, two);
        memcpy(now, g, u->row);
        vdi__calcium_muladd(u, vdi__calcium_row(u, E, t), two, now);
    }
}

/* The rise: from the derivative by d_t, in `dc`, to that by c_t in its place. With a = 1 + gamma u
 * and goal = u/a: 1/a = 1 - gamma goal. `rise` is E_{t+1} times the derivative by d_{t+1}, and
 * becomes that of this bin; `sum` collects the derivative by u. */
VDI__FN void vdi__mlphys_rise_back(const vdi__calcium_note *u, int64_t t, vdi__calcium_adjoint *a,
                                   char *dc, char *rise, char *sum) {
    VDI__BOTH(u->dtype, {
        const real *E = (const real *)vdi__calcium_row(u, u->state[5], t);
        const real *goal = (const real *)vdi__calcium_row(u, u->state[4], t);
        const real *power = (const real *)vdi__calcium_row(u, u->state[3], t);
        const real *log_x = (const real *)vdi__calcium_row(u, u->state[2], t);
        const real *before = t ? (const real *)vdi__calcium_row(u, u->state[1], t - 1) : NULL;
        const real *c = (const real *)vdi__calcium_row(u, u->state[0], t);
        const real *c0 = (const real *)vdi__calcium_parameter(u, VDI__PHYS_C0);
        const real *hill = (const real *)vdi__calcium_parameter(u, VDI__PHYS_HILL);
        const real *gamma = (const real *)vdi__calcium_parameter(u, VDI__PHYS_GAMMA);
        const real *kappa = (const real *)vdi__calcium_parameter(u, VDI__PHYS_KAPPA);
        real *dc0 = (real *)vdi__calcium_gradient(u, a, VDI__PHYS_C0);
        real *dhill = (real *)vdi__calcium_gradient(u, a, VDI__PHYS_HILL);
        real *dgamma = (real *)vdi__calcium_gradient(u, a, VDI__PHYS_GAMMA);
        real *dkappa = (real *)vdi__calcium_gradient(u, a, VDI__PHYS_KAPPA);
        real *from = (real *)dc, *carry = (real *)rise, *du_sum = (real *)sum;
        for (size_t l = 0; l < u->n; l++) {
            const real dd = from[l] + carry[l];
            const real inverse = 1 - gamma[l] * goal[l];
            const real speed = 1 / inverse;
            const real dgoal = dd * (1 - E[l]), step = (real)u->desc.bin / kappa[l];
            const real dlog_E = dd * ((before ? before[l] : 0) - goal[l]) * E[l];
            const real dspeed = -dlog_E * step - dgoal * goal[l] * inverse;
            const real du = dgoal * inverse + gamma[l] * dspeed;
            dkappa[l] += dlog_E * speed * step / kappa[l];
            dgamma[l] += dspeed * (goal[l] * speed);
            dhill[l] += du * power[l] * log_x[l];
            from[l] = du * hill[l] * power[l] / (c0[l] + c[l]);
            dc0[l] += from[l];
            du_sum[l] += du;
            carry[l] = dd * E[l];
        }
    });
}

/* carry 0: the adjoint of c; 1: E_{t+1} times that of d_{t+1}; 2: the sum of that of u */
VDI__FN void vdi__mlphys_backward_bin(const vdi__calcium_note *u, int64_t t, int stream,
                                      vdi__calcium_adjoint *a) {
    char *w = a->scratch[0], *decay = a->scratch[2];
    (void)stream;
    vdi__calcium_mul(u, vdi__calcium_parameter(u, VDI__PHYS_ALPHA), a->readout, w);
    vdi__mlphys_rise_back(u, t, a, w, a->carry[1], a->carry[2]);
    vdi__mlphys_decay(u, decay, a->scratch[1]);
    /* the derivative by the decay; `finish` makes it that by tau */
    vdi__calcium_decay_back(u, t, decay, u->state[0], w, a->carry[0],
                            vdi__calcium_gradient(u, a, VDI__PHYS_TAU), a->spikes[0]);
}

/* -c0^hill in u, and from the decay's derivative to that of tau */
VDI__FN void vdi__mlphys_finish(const vdi__calcium_note *u, vdi__calcium_adjoint *a) {
    const vdi_dtype dtype = u->dtype;
    char *dhill = vdi__calcium_gradient(u, a, VDI__PHYS_HILL);
    char *dc0 = vdi__calcium_gradient(u, a, VDI__PHYS_C0);
    char *dtau = vdi__calcium_gradient(u, a, VDI__PHYS_TAU);
    for (int64_t l = 0; l < (int64_t)u->n; l++) {
        const double c0 = vdi_dtype_load(dtype, vdi__calcium_parameter(u, VDI__PHYS_C0), l);
        const double hill = vdi_dtype_load(dtype, vdi__calcium_parameter(u, VDI__PHYS_HILL), l);
        const double tau = vdi_dtype_load(dtype, vdi__calcium_parameter(u, VDI__PHYS_TAU), l);
        const double du = vdi_dtype_load(dtype, a->carry[2], l), bin = u->desc.bin;
        if (c0 > 0) {
            const double power = pow(c0, hill);
            vdi_dtype_store(dtype, dhill, l,
                            vdi_dtype_load(dtype, dhill, l) - du * power * log(c0));
            vdi_dtype_store(dtype, dc0, l, vdi_dtype_load(dtype, dc0, l) - du * hill * power / c0);
        }
        vdi_dtype_store(dtype, dtau, l,
                        vdi_dtype_load(dtype, dtau, l) * exp(-bin / tau) * bin / (tau * tau));
    }
}

static const vdi__calcium_ops vdi__calcium_mlphys = {
    "mlphys",
    NULL,
    vdi__calcium_mlphys_params,
    (int)VDI__COUNT(vdi__calcium_mlphys_params),
    1,
    6,
    {{1, {VDI__PHYS_ALPHA, 0}, {1, 0}, VDI__PHYS_BETA, VDI__PHYS_SIGMA}, {0, {0, 0}, {0, 0}, 0, 0}},
    {0, 0},
    vdi__mlphys_step,
    vdi__mlphys_forward,
    vdi__mlphys_backward_bin,
    vdi__mlphys_finish,
};
#endif
