/* A Kalman smoother in forty lines: a car's position is measured with noise; where was it, and how
 * fast?
 *
 *     cc -O2 -I.. blocktri.c -o blocktri -lm -lpthread && ./blocktri   (-I: the folder of vdi.h)
 *
 * State z_t = (position, speed). z_t = A z_{t-1} + N(0,Q), y_t = position + N(0,r). The precision
 * of all states given all measurements is block-tridiagonal, D_t = Q^{-1} + A'Q^{-1}A + C'C/r (the
 * last block without the middle term, the first with Q0 for Q), E_t = -Q^{-1}A, and the posterior
 * mean solves J m = h with h_t = C'y_t/r: smoothing is one factor and one solve.
 */
#define VDI_LINALG_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

enum { T = 40, d = 2 };

int main(void) {
    /* m^2, (m/s)^2 */
    const double dt = 0.5;
    const double r = 4;
    const double q[2] = {0.01, 0.05};
    const double q0[2] = {100, 100};
    double z[T][d], y[T], D[T][d][d] = {{{0}}}, E[T - 1][d][d], h[T][d], m[T][d], S[T][d][d];
    vdi_rng rng = vdi_rng_make(1, 0);
    for (int t = 0; t < T; t++) { /* the truth, and what the instrument says */
        z[t][1] = (t ? z[t - 1][1] : 3) + sqrt(q[1]) * vdi_rng_normal(&rng);
        z[t][0] = t ? z[t - 1][0] + dt * z[t - 1][1] + sqrt(q[0]) * vdi_rng_normal(&rng) : 0;
        y[t] = z[t][0] + sqrt(r) * vdi_rng_normal(&rng);
    }
    for (int t = 0; t < T; t++) {
        for (int i = 0; i < d; i++)
            D[t][i][i] = 1 / (t ? q[i] : q0[i]);
        D[t][0][0] += 1 / r;
        h[t][0] = y[t] / r;
        h[t][1] = 0;
        if (t + 1 == T) break;
        const double A[d][d] = {{1, dt}, {0, 1}};
        for (int i = 0; i < d; i++) {
            for (int j = 0; j < d; j++) {
                for (int k = 0; k < d; k++)
                    D[t][i][j] += A[k][i] * A[k][j] / q[k];
                E[t][i][j] = -A[i][j] / q[i];
            }
        }
    }
    vdi_error err;
    vdi_blocktri bt;
    vdi_blocktri_desc desc = {0};
    desc.dtype = VDI_F64;
    desc.trials = 1;
    desc.T = T;
    desc.d = d;
    size_t size = vdi_blocktri_memsize(&desc);
    void *mem = malloc(size);
    if (vdi_blocktri_init(&bt, &desc, mem, size, &err) < 0 ||
        vdi_blocktri_factor(&bt, D, E, &err) < 0) {
        puts(err.message);
        return 1;
    }
    vdi_blocktri_solve(&bt, 1, h, m);
    vdi_blocktri_marginals(&bt, S, NULL);
    double raw = 0, smooth = 0;
    for (int t = 0; t < T; t++) {
        raw += (y[t] - z[t][0]) * (y[t] - z[t][0]) / T;
        smooth += (m[t][0] - z[t][0]) * (m[t][0] - z[t][0]) / T;
    }
    puts("   s   true m  measured  smoothed        true m/s  smoothed");
    for (int t = 0; t < T; t += 3) {
        printf("%4.1f %8.2f %9.2f %9.2f +- %.2f %8.2f %9.2f +- %.2f\n", t * dt, z[t][0], y[t],
               m[t][0], sqrt(S[t][0][0]), z[t][1], m[t][1], sqrt(S[t][1][1]));
    }
    printf("root mean square error of the position: measured %.2f m, smoothed %.2f m\n", sqrt(raw),
           sqrt(smooth));
    free(mem);
    return 0;
}
