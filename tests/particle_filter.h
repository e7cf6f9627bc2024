/* tests/particle_filter.h - log p(y) of a state-space model with one latent, by a bootstrap filter
 * with systematic resampling (Gordon, Salmond and Smith 1993)
 *
 * z_1 ~ N(0, 1), z_t ~ N(mean(z_{t-1}), sd^2), and each bin has `width` observations.
 */
#ifndef VDI_TESTS_PARTICLE_FILTER_H
#define VDI_TESTS_PARTICLE_FILTER_H
#include "check.h"

typedef struct filter_model {
    double (*mean)(double z);                   /* of z_t, given z_{t-1} */
    double sd;                                  /* of z_t, given z_{t-1} */
    double (*log_p)(const double *y, double z); /* of a bin's observations */
    int64_t width;
} filter_model;

/* y (T, width); the estimate's error falls with the root of the number of particles. */
static double particle_filter(const filter_model *m, const double *y, int64_t T, int particles,
                              vdi_rng rng) {
    double *z = (double *)calloc((size_t)particles, sizeof *z);
    double *w = (double *)calloc((size_t)particles, sizeof *w);
    double *next = (double *)calloc((size_t)particles, sizeof *next);
    double total = 0;
    for (int64_t t = 0; t < T; t++) {
        double top = -HUGE_VAL, sum = 0;
        for (int i = 0; i < particles; i++) {
            z[i] = t ? m->mean(z[i]) + m->sd * vdi_rng_normal(&rng) : vdi_rng_normal(&rng);
            w[i] = m->log_p(y + t * m->width, z[i]);
            top = fmax(top, w[i]);
        }
        for (int i = 0; i < particles; i++) {
            w[i] = exp(w[i] - top);
            sum += w[i];
        }
        total += top + log(sum / particles);
        double u = vdi_rng_uniform(&rng), reach = w[0];
        for (int i = 0, j = 0; i < particles; i++) {
            while (reach < (i + u) * sum / particles && j < particles - 1)
                reach += w[++j];
            next[i] = z[j];
        }
        memcpy(z, next, (size_t)particles * sizeof *z);
    }
    free(z);
    free(w);
    free(next);
    return total;
}
#endif
