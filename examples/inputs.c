/* examples/inputs.c - a latent that is driven by known inputs, and what it will do under new ones
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/inputs.c -o inputs -lm -pthread && ./inputs
 *
 *     z_t = A z_{t-1} + B u_t + N(0, Q),   y_t = C z_t + b + N(0, R)
 *
 * Four thermometers stand in a room that nobody measures directly; a heater and a window are known.
 * EM finds room, heater and window from the record. Told what heater and window will do, the model
 * forecasts the thermometers 100 bins ahead; a model that knows nothing of them cannot.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 600, AHEAD = 100, ALL = T + AHEAD, N = 4, U = 2 };
static double y[ALL * N], u[ALL * U];
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

static void measure(void) {
    static const double place[N] = {1, 0.8, 1.2, 0.5};
    vdi_rng rng = vdi_rng_make(1, 0);
    double room = 0;
    for (int t = 0; t < ALL; t++) {
        u[t * U] = t / 40 % 2; /* the heater: on, off */
        u[t * U + 1] = vdi_rng_bernoulli(&rng, 0.05) || (t > 0 && u[t * U - 1] > 0 && t % 9);
        room = 0.96 * room + 0.4 * u[t * U] - 0.9 * u[t * U + 1] + 0.1 * vdi_rng_normal(&rng);
        for (int j = 0; j < N; j++)
            y[t * N + j] = 20 + place[j] * room + 0.3 * vdi_rng_normal(&rng);
    }
}

/* Learns from the first T bins, and forecasts the rest: the root of the mean squared error. */
static double forecast(bool inputs, double *heater, double *window) {
    static double ahead[AHEAD * N];
    vdi_lds_desc desc = {.d = 1, .n = N, .inputs = inputs ? U : 0, .diagonal_r = true};
    vdi_lds_data_desc all = {.y = vdi_tensor_2d(y, VDI_F64, T, N)};
    vdi_lds *p;
    vdi_lds_data *data;
    double ll, square = 0;
    desc.freeze = VDI_LDS_D; /* what is known acts on the room alone: D stays 0 */
    if (inputs) all.u = vdi_tensor_2d(u, VDI_F64, T, U);
    need(vdi_lds_create(&desc, &p, &err));
    need(vdi_lds_data_create(p, &all, &data, &err));
    need(vdi_lds_init(p, data, 1, &err));
    for (int i = 0; i < 200; i++)
        need(vdi_lds_em_step(p, data, &ll, &err));
    need(
        vdi_lds_forecast(p, data, AHEAD, inputs ? u + T * U : NULL, NULL, NULL, ahead, NULL, &err));
    for (int i = 0; i < AHEAD * N; i++)
        square += (ahead[i] - y[T * N + i]) * (ahead[i] - y[T * N + i]) / (AHEAD * N);
    if (inputs) { /* what each of them does to the first thermometer in the long run */
        *heater = p->C[0] * p->B[0] / (1 - p->A[0]);
        *window = p->C[0] * p->B[1] / (1 - p->A[0]);
    }
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(p);
    return sqrt(square);
}

int main(void) {
    double heater = 0, window = 0;
    measure();
    const double with = forecast(true, &heater, &window), without = forecast(false, NULL, NULL);
    printf("heater %+.1f degrees (true +10.0), window %+.1f (true -22.5)\n", heater, window);
    printf("100 bins ahead: off by %.2f degrees with the inputs, by %.2f without\n", with, without);
    return fabs(heater - 10) < 2 && fabs(window + 22.5) < 4 && with < 0.5 * without ? 0 : 1;
}
