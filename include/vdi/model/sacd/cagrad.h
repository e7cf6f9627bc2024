/* model/sacd/cagrad.h - conflict-averse gradients: one step that increases none of several losses
 * much
 *
 * Do this:
 *     double gram[4] = {1, -0.8, -0.8, 4}, k[2];               <g_i, g_j> of two that disagree
 *     if (vdi_cagrad(2, gram, 0.5, k, NULL) < 0) puts("1 to VDI_CAGRAD_MOST gradients");
 *     ... step along k[0] g_0 + k[1] g_1 ...
 *
 * With the mean g0 of the gradients g_i, Liu et al. 2021 (arXiv 2110.14048) step along
 *     d = argmax_d min_i <g_i, d>   subject to |d - g0| <= c |g0|
 *       = g0 + c |g0| / |g_w| g_w,  w = argmin over the simplex of <g_w, g0> + c |g0| |g_w|
 * where g_w = sum_i w_i g_i. Only inner products are needed. d is not rescaled afterwards.
 * Memory: 6 KB of stack. Threads: any. What it does NOT do: take gradients (model/sacd/fit.h does).
 */
#ifndef VDI_MODEL_SACD_CAGRAD_H
#define VDI_MODEL_SACD_CAGRAD_H
#include "../../core/status.h"

/** Most gradients. */
#define VDI_CAGRAD_MOST 256

/** From the Gram matrix G (n,n) = <g_i, g_j>, 0 <= c < 1: coefficients k (n) with d = sum_i k_i
 *  g_i. simplex (n), may be NULL: the w above. Solved by exact line searches along pairs to a
 *  duality gap of 1e-14 max |g_i|^2. VDI_ERR_ARGUMENT if n is not 1 ... VDI_CAGRAD_MOST. */
VDI_API vdi_status vdi_cagrad(int64_t n, const double *G, double c, double *k, double *simplex);

#endif /* VDI_MODEL_SACD_CAGRAD_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_CAGRAD_C)
#define VDI_MODEL_SACD_CAGRAD_C

/* The dual, f(w) = <g_w, g0> + radius |g_w| with radius = c |g0|, is convex on the simplex. */
typedef struct vdi__cagrad {
    int64_t n;
    const double *G;
    double radius;
    double scale;               /* largest |g_i|^2 */
    double w[VDI_CAGRAD_MOST];  /* on the simplex */
    double Gu[VDI_CAGRAD_MOST]; /* <g_i, g0> */
    double Gw[VDI_CAGRAD_MOST]; /* <g_i, g_w> */
    double wGw;                 /* |g_w|^2 */
} vdi__cagrad;

VDI__FN void vdi__cagrad_begin(vdi__cagrad *p, int64_t n, const double *G, double c) {
    double uGu = 0;
    p->n = n;
    p->G = G;
    p->scale = 0;
    for (int64_t i = 0; i < n; i++) {
        p->w[i] = 1 / (double)n;
        p->Gu[i] = 0;
        for (int64_t j = 0; j < n; j++)
            p->Gu[i] += G[i * n + j] / (double)n;
        uGu += p->Gu[i] / (double)n;
        p->Gw[i] = p->Gu[i];
        p->scale = fmax(p->scale, G[i * n + i]);
    }
    p->wGw = uGu;
    p->radius = c * sqrt(fmax(uGu, 0));
}

/* The pair that the gradient likes most: one entry up, one down. Returns the duality gap. */
VDI__FN double vdi__cagrad_pair(const vdi__cagrad *p, double r, int64_t *up, int64_t *down) {
    double gap = 0, low = 0, high = 0;
    *up = 0;
    *down = -1;
    for (int64_t i = 0; i < p->n; i++) {
        const double f = p->Gu[i] + r * p->Gw[i];
        gap += p->w[i] * f;
        if (i == 0 || f < low) {
            low = f;
            *up = i;
        }
        if (p->w[i] > 0 && (*down < 0 || f > high)) {
            high = f;
            *down = i;
        }
    }
    return gap - low;
}

/* How far to move along a pair. Up to a constant, f is a s + radius sqrt(wGw + 2 b s + q s^2)
   there, and its minimum solves
       a + radius (b + q s) / sqrt(wGw + 2 b s + q s^2) = 0
   or squared, (b + q s)^2 (radius^2 q - a^2) = a^2 (wGw q - b^2). */
VDI__FN double vdi__cagrad_length(const vdi__cagrad *p, int64_t up, int64_t down) {
    const int64_t n = p->n;
    const double a = p->Gu[up] - p->Gu[down], b = p->Gw[up] - p->Gw[down];
    const double q = p->G[up * n + up] - 2 * p->G[up * n + down] + p->G[down * n + down];
    const double left = p->radius * p->radius * q - a * a;
    const double right = a * a * fmax(p->wGw * q - b * b, 0);
    const double most = p->w[down]; /* as far as the entry lasts */
    if (!(q > 0 && left > 0)) return most;
    const double s = (sqrt(right / left) * (a < 0 ? 1 : -1) - b) / q;
    return s < most ? s : most;
}

VDI__FN void vdi__cagrad_move(vdi__cagrad *p, int64_t up, int64_t down, double s) {
    const int64_t n = p->n;
    p->w[up] += s;
    p->w[down] = s < p->w[down] ? p->w[down] - s : 0;
    p->wGw = 0;
    for (int64_t i = 0; i < n; i++) {
        p->Gw[i] = 0;
        for (int64_t j = 0; j < n; j++)
            p->Gw[i] += p->G[i * n + j] * p->w[j];
    }
    for (int64_t i = 0; i < n; i++)
        p->wGw += p->w[i] * p->Gw[i];
}

VDI__DEF vdi_status vdi_cagrad(int64_t n, const double *G, double c, double *k, double *simplex) {
    vdi__cagrad p;
    if (n < 1 || n > VDI_CAGRAD_MOST) return VDI_ERR_ARGUMENT;
    vdi__cagrad_begin(&p, n, G, c);
    for (int round = 0; round < 1000 && p.radius > 0; round++) {
        int64_t up, down;
        const double norm = sqrt(fmax(p.wGw, 0));
        const double gap = vdi__cagrad_pair(&p, norm > 0 ? p.radius / norm : 0, &up, &down);
        if (gap <= 1e-14 * (p.scale + 1e-300) || up == down || norm == 0) break;
        const double s = vdi__cagrad_length(&p, up, down);
        if (!(s > 0)) break;
        vdi__cagrad_move(&p, up, down, s);
    }
    const double norm = sqrt(fmax(p.wGw, 0)), lambda = norm > 0 ? p.radius / norm : 0;
    for (int64_t i = 0; i < n; i++) {
        k[i] = 1 / (double)n + lambda * p.w[i];
        if (simplex) simplex[i] = p.w[i];
    }
    return VDI_OK;
}
#endif
