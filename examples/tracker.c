/* examples/tracker.c - a Kalman filter that takes one measurement at a time, with a gate
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/tracker.c -o tracker -lm -pthread && ./tracker
 *
 * Something moves in a plane with nearly constant velocity; its position is measured ten times a
 * second. One measurement in twenty is wild, one in ten does not come. The filter lives in a static
 * block and allocates nothing, as in a robot: it predicts, looks how far the measurement is from
 * what it expects, and leaves out what is too far.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 600 };
static double block[512];
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

/* z = (x, y, speed x, speed y), dt = 0.1 s; white acceleration */
static void set_up(vdi_lds *lds) {
    const double dt = 0.1, power = 0.5;
    for (int i = 0; i < 16; i++) {
        const int row = i / 4, column = i % 4;
        const bool same_axis = row % 2 == column % 2;
        lds->A[i] = row == column ? 1 : row + 2 == column ? dt : 0;
        lds->Q0[i] = row == column ? 100 : 0;
        lds->Q[i] = !same_axis                ? 0
                    : row < 2 && column < 2   ? power * dt * dt * dt / 3
                    : row >= 2 && column >= 2 ? power * dt
                                              : power * dt * dt / 2;
    }
    for (int i = 0; i < 8; i++)
        lds->C[i] = i / 4 == i % 4;
    for (int i = 0; i < 4; i++)
        lds->R[i] = i % 3 == 0 ? 0.25 : 0;
}

int main(void) {
    vdi_lds_desc desc = {.d = 4, .n = 2};
    vdi_lds *lds;
    vdi_lds_filter f;
    double square = 0, naive = 0;
    int rejected = 0, wild = 0, wild_rejected = 0, seen = 0;
    vdi_rng rng = vdi_rng_make(1, 0);
    need(vdi_lds_create(&desc, &lds, &err));
    set_up(lds);
    need(vdi_lds_filter_init(&f, lds, block, sizeof block, &err));
    f.gate = 18.4; /* chi-squared with two degrees of freedom: one good measurement in 10000 */
    for (int t = 0; t < STEPS; t++) {
        const double truth[2] = {10 * cos(0.02 * t), 10 * sin(0.03 * t)};
        const bool missing = vdi_rng_bernoulli(&rng, 0.1), is_wild = vdi_rng_bernoulli(&rng, 0.05);
        double y[2];
        for (int i = 0; i < 2; i++)
            y[i] = truth[i] + (is_wild ? 15 : 0.5) * vdi_rng_normal(&rng);
        need(vdi_lds_step(&f, missing ? NULL : y, NULL, &err));
        rejected += f.rejected;
        wild += is_wild && !missing;
        wild_rejected += f.rejected && is_wild;
        if (t < 50 || missing) continue;
        seen++;
        square += (f.mean[0] - truth[0]) * (f.mean[0] - truth[0]);
        naive += (y[0] - truth[0]) * (y[0] - truth[0]);
    }
    printf(
        "error %.3f, of the measurements alone %.3f; %d of %d wild ones left out, %d good ones\n",
        sqrt(square / seen), sqrt(naive / seen), wild_rejected, wild, rejected - wild_rejected);
    vdi_lds_destroy(lds);
    return square < 0.05 * naive && wild_rejected > wild / 2 ? 0 : 1;
}
