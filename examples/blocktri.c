/* examples/blocktri.c - a Kalman smoother in forty lines
 *
 *     cc -std=c11 -O2 -I.. blocktri.c -o blocktri -lm -pthread && ./blocktri
 *
 * A point moves with nearly constant velocity and its position is seen through noise: z_t = A z_{t-1} + N(0,Q), y_t = z_t[0] + N(0,r).
 * The posterior of the whole path is Gaussian with precision J: on the diagonal Q^{-1} + A'Q^{-1}A + c c'/r, under it -Q^{-1}A. So smoothing
 * is one factorisation and one solve; the blocks of J^{-1} on the diagonal are the covariances.
 */
#define VDI_LINALG_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

enum { T = 60, d = 2 };

int main(void) {
    static double y[T], truth[T], D[T][d][d], E[T - 1][d][d], h[T][d], z[T][d], S[T][d][d];
    const double q = 0.02, r = 4, A[d][d] = {{1, 1}, {0, 1}}, Qi[d][d] = {{12 / q, -6 / q}, {-6 / q, 4 / q}}; /* Q of integrated white noise */
    vdi_rng rng = vdi_rng_make(7, 0);
    double position = 0, velocity = 1;
    for (int t = 0; t < T; t++) {
        velocity += sqrt(q) * vdi_rng_normal(&rng);
        position += velocity;
        truth[t] = position;
        y[t] = position + sqrt(r) * vdi_rng_normal(&rng);
        h[t][0] = y[t] / r;
        for (int i = 0; i < d; i++)
            for (int j = 0; j < d; j++) {
                double ahead = 0, next = 0; /* (A'Q^{-1}A)_ij and (Q^{-1}A)_ij */
                for (int k = 0; k < d; k++) {
                    next += Qi[i][k] * A[k][j];
                    for (int l = 0; l < d; l++) ahead += A[k][i] * Qi[k][l] * A[l][j];
                }
                D[t][i][j] = (t ? Qi[i][j] : 0.01 * (i == j)) + (t + 1 < T ? ahead : 0) + (i == 0 && j == 0 ? 1 / r : 0);
                if (t + 1 < T) E[t][i][j] = -next;
            }
    }
    vdi_blocktri_desc desc = {.dtype = VDI_F64, .trials = 1, .T = T, .d = d};
    static char memory[1 << 18];
    vdi_blocktri bt;
    vdi_error err;
    if (vdi_blocktri_init(&bt, &desc, memory, sizeof memory, &err) < 0 || vdi_blocktri_factor(&bt, D, E, &err) < 0) return puts(err.message), 1;
    vdi_blocktri_solve(&bt, 1, h, z);
    vdi_blocktri_marginals(&bt, S, NULL);

    double noise = 0, error = 0;
    for (int t = 0; t < T; t++) {
        noise += (y[t] - truth[t]) * (y[t] - truth[t]) / T;
        error += (z[t][0] - truth[t]) * (z[t][0] - truth[t]) / T;
        if (t % 10 == 0) printf("t %2d: seen %6.2f, smoothed %6.2f +- %.2f, truth %6.2f\n", t, y[t], z[t][0], 2 * sqrt(S[t][0][0]), truth[t]);
    }
    printf("root mean square error %.2f, of the observations %.2f\n", sqrt(error), sqrt(noise));
    return error > noise / 2; /* the example is also a test */
}
