/* examples/gaussian_process.c - a Gaussian process in linear time: a smooth curve through noisy
 * points with a gap, and how sure it is
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/gaussian_process.c -o gp -lm -pthread && ./gp
 *
 * A process with a Matern 3/2 covariance, s^2 (1 + k r) exp(-k r), k = sqrt(3) / length, is a
 * linear system whose state is the curve and its slope (Hartikainen and Saerkkae 2010). From bin to
 * bin
 *     A = exp(-k) (1 + k, 1; -k^2, 1 - k),   Q = P - A P A',   P = s^2 diag(1, k^2)
 * Smoothing it gives the Gaussian process's posterior, for 2,000 points as for 2,000,000. The
 * length is the one under which the points are likeliest. EM is not needed.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 2000, GAP = 900, GAP_END = 940 };
static const double noise = 0.3;
static double y[T], truth[T];
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

static void measure(void) {
    vdi_rng rng = vdi_rng_make(1, 0);
    for (int t = 0; t < T; t++) {
        truth[t] = sin(t / 25.0) + 0.5 * sin(t / 60.0 + 1);
        const bool seen = (t < GAP || t >= GAP_END) && !vdi_rng_bernoulli(&rng, 0.3);
        y[t] = seen ? truth[t] + noise * vdi_rng_normal(&rng) : NAN;
    }
}

/* The system of a length (in bins) and a standard deviation. */
static void process(vdi_lds *p, double length, double sd) {
    const double k = sqrt(3) / length, e = exp(-k);
    const double A[4] = {e * (1 + k), e, -e * k * k, e * (1 - k)};
    const double P[4] = {sd * sd, 0, 0, sd * sd * k * k};
    memcpy(p->A, A, sizeof A);
    memcpy(p->Q0, P, sizeof P);
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) {
            p->Q[2 * i + j] =
                P[2 * i + j] - A[2 * i] * P[0] * A[2 * j] - A[2 * i + 1] * P[3] * A[2 * j + 1];
        }
    }
    p->C[0] = 1; /* the curve is seen, its slope is not */
    p->C[1] = 0;
    p->R[0] = noise * noise;
}

int main(void) {
    static double ms[2 * T], Ps[4 * T];
    vdi_lds_desc desc = {.d = 2, .n = 1, .diagonal_r = true};
    vdi_lds_data_desc all = {.y = vdi_tensor_2d(y, VDI_F64, T, 1)};
    vdi_lds_moments m = {.ms = ms, .Ps = Ps};
    vdi_lds *p;
    vdi_lds_data *data;
    double best = -HUGE_VAL, length = 0, square = 0, within = 0, gap = 0;
    measure();
    need(vdi_lds_create(&desc, &p, &err));
    need(vdi_lds_data_create(p, &all, &data, &err));
    for (double l = 5; l < 400; l *= 1.25) {
        double ll;
        process(p, l, 1);
        need(vdi_lds_log_likelihood(p, data, NULL, &ll, &err));
        if (ll > best) length = l;
        best = fmax(best, ll);
    }
    process(p, length, 1);
    need(vdi_lds_smooth(p, data, &m, &err));
    for (int t = 0; t < T; t++) {
        const double e = ms[2 * t] - truth[t];
        square += e * e / T;
        within += (fabs(e) < 2 * sqrt(Ps[4 * t])) / (double)T;
        if (t >= GAP && t < GAP_END) gap = fmax(gap, fabs(e));
    }
    const double sure = 2 * sqrt(Ps[4 * ((GAP + GAP_END) / 2)]);
    printf("length %.0f bins; rms error %.3f, of the points %.1f\n", length, sqrt(square), noise);
    printf("the truth is within two standard deviations in %.0f %% of the bins\n", 100 * within);
    printf(
        "in the gap of %d bins the error is %.2f at most; two standard deviations are %.2f there\n",
        GAP_END - GAP, gap, sure);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(p);
    return sqrt(square) < 0.15 && within > 0.9 && gap < 2 * sure ? 0 : 1;
}
