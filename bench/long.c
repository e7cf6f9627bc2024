/* bench/long.c - does memory grow with the bins? EM of a linear dynamical system on one trial of so
 * many bins, then four and sixteen times as many
 *
 *     make build/bench/long QUESTIONS=long
 *     build/bench/long [bins=62500] [d=8] [n=20] [missing=0] [window=0]
 *
 * held: bytes of data and posterior (vdi_lds_data_bytes), y and means among them; step: CPU seconds
 * of an iteration, the median of five.
 */
#include "bench.h"

static double cpu(void) { return (double)clock() / CLOCKS_PER_SEC; }

static int rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Damped rotations in noise, a tenth of the values missing if asked for. */
static double *simulate(int64_t T, int64_t d, int64_t n, bool missing) {
    double *y = (double *)bench_alloc((size_t)(T * n) * sizeof *y);
    double *C = (double *)bench_alloc((size_t)(n * d) * sizeof *C);
    double *z = (double *)bench_alloc((size_t)d * sizeof *z);
    vdi_rng rng = vdi_rng_make(1, 0);
    vdi_rng_fill_normal(&rng, VDI_F64, n * d, C);
    memset(z, 0, (size_t)d * sizeof *z);
    for (int64_t t = 0; t < T; t++) {
        for (int64_t i = 0; i < d; i++)
            z[i] = 0.95 * z[i] + (i > 0 ? 0.05 * z[i - 1] : 0) + 0.3 * vdi_rng_normal(&rng);
        for (int64_t j = 0; j < n; j++) {
            double s = vdi_rng_normal(&rng);
            for (int64_t i = 0; i < d; i++)
                s += C[j * d + i] * z[i];
            y[t * n + j] = missing && vdi_rng_uniform(&rng) < 0.1 ? (double)NAN : s;
        }
    }
    free(C);
    free(z);
    return y;
}

static void row(int64_t T, int64_t d, int64_t n, bool missing, int64_t window) {
    vdi_lds_desc desc = {.d = d, .n = n};
    vdi_lds_data_desc dd = {.window = window};
    vdi_lds *p;
    vdi_lds_data *data;
    vdi_error err;
    double seconds[5], ll;
    double *y = simulate(T, d, n, missing);
    dd.y = vdi_tensor_3d(y, VDI_F64, 1, T, n);
    if (vdi_lds_create(&desc, &p, &err) < 0 || vdi_lds_data_create(p, &dd, &data, &err) < 0 ||
        vdi_lds_init(p, data, 1, &err) < 0)
        bench_die(err.message);
    free(y);
    for (int i = 0; i < 5; i++) {
        const double begin = cpu();
        if (vdi_lds_em_step(p, data, &ll, &err) < 0) bench_die(err.message);
        seconds[i] = cpu() - begin;
    }
    qsort(seconds, 5, sizeof *seconds, rising);
    const double held = (double)vdi_lds_data_bytes(data);
    printf("| %lld | %.1f MB | %.0f | %.3f s | %.2f us |\n", (long long)T, held / 1e6,
           held / (double)T, seconds[2], 1e6 * seconds[2] / (double)T);
    fflush(stdout);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(p);
}

int main(int argc, char **argv) {
    long long option[5] = {62500, 8, 20, 0, 0};
    static const char *const name[5] = {"bins=", "d=", "n=", "missing=", "window="};
    for (int i = 1; i < argc; i++) {
        for (int k = 0; k < 5; k++) {
            if (!strncmp(argv[i], name[k], strlen(name[k])))
                option[k] = atoll(argv[i] + strlen(name[k]));
        }
    }
    puts("| bins | held | bytes a bin | step | a bin |\n| --- | --- | --- | --- | --- |");
    for (int times = 1; times <= 16; times *= 4)
        row(times * option[0], option[1], option[2], option[3] != 0, option[4]);
    return 0;
}
