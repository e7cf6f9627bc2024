/* bench/plds.c - the Poisson linear dynamical system on recordings: bounds, predictions, times
 *
 *     bench/plds COUNTS.npy D [--laplace] [--iterations N] [--train K] [--seed S] [--threads P]
 *     [--window W] [--trace]
 *
 * COUNTS is (trials,T,n). Trained on the first K trials (default: all), judged on the others if
 * there are any. Prints one line of figures: the bound per bin on the training trials, and on the
 * others the bound, importance-sampled log p(y), bits per spike against training means of
 * leave-one-neuron-out and one-step-ahead predictions, integrated over the latents and (in
 * brackets) plugged in. Not part of `make bench`, whose questions are about speed alone.
 */
#include "vdi.h"
#include <stdio.h>
#include <time.h>

static vdi_error err;
static void need(vdi_status status) {
    if (status < 0) {
        fprintf(stderr, "plds: %s\n", err.message);
        exit(1);
    }
}
static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static vdi_plds_data *take(const vdi_plds *p, vdi_tensor y, vdi_pool *pool) {
    vdi_plds_data_desc dd;
    vdi_plds_data *data = NULL;
    memset(&dd, 0, sizeof dd);
    dd.y = y;
    dd.pool = pool;
    need(vdi_plds_data_create(p, &dd, &data, &err));
    return data;
}

int main(int argc, char **argv) {
    vdi_plds_desc desc;
    vdi_plds *p = NULL;
    vdi_tensor counts;
    vdi_pool *pool = NULL;
    int64_t train = 0, shape[3];
    int iterations = 40;
    int trace = 0;
    int seed = 1;
    int threads = 1;
    int window = 0;
    if (argc < 3) {
        fprintf(stderr, "plds COUNTS.npy D [--laplace] [--iterations N] [--train K] [--seed S] "
                        "[--threads P] [--window W] [--trace]\n");
        return 2;
    }
    memset(&desc, 0, sizeof desc);
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--laplace")) {
            desc.method = VDI_PLDS_LAPLACE;
        } else if (!strcmp(argv[i], "--trace")) {
            trace = 1;
        } else if (!strcmp(argv[i], "--iterations") && i + 1 < argc) {
            iterations = atoi(argv[++i]);
        } else if (!strcmp(argv[i], "--train") && i + 1 < argc) {
            train = atoi(argv[++i]);
        } else if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
            seed = atoi(argv[++i]);
        } else if (!strcmp(argv[i], "--window") && i + 1 < argc) {
            window = atoi(argv[++i]);
        } else if (!strcmp(argv[i], "--threads") && i + 1 < argc) {
            threads = atoi(argv[++i]);
        } else {
            fprintf(stderr, "plds: %s?\n", argv[i]);
            return 2;
        }
    }
    need(vdi_npy_load(argv[1], NULL, &counts, &err));
    memcpy(shape, counts.shape, sizeof shape);
    if (counts.ndim != 3) {
        fprintf(stderr, "plds: counts have to be (trials,T,n)\n");
        return 2;
    }
    vdi_tensor y;
    need(vdi_tensor_alloc(NULL, VDI_F64, 3, shape, &y, &err));
    need(vdi_tensor_copy(y, counts, &err));
    if (train <= 0 || train > shape[0]) train = shape[0];
    const int64_t T = shape[1], n = shape[2], held = shape[0] - train;
    desc.d = atoi(argv[2]);
    desc.n = n;
    need(vdi_plds_create(&desc, &p, &err));
    if (threads > 1) need(vdi_pool_create(threads, NULL, &pool, &err));
    double *values = (double *)y.data;
    double elbo = 0;
    double last = -1e300;
    double worst = 1e300;
    double worst_penalised = 1e300;
    double penalised = -1e300;
    vdi_plds_data *data = take(p, vdi_tensor_slice(y, 0, 0, 1, train), pool);
    double start = cpu();
    need(vdi_plds_init(p, data, (uint64_t)seed, &err));
    for (int i = 0; i < iterations; i++) {
        double penalty = vdi_plds_penalty(p);
        need(vdi_plds_em_step(p, data, &elbo, &err));
        if (i && elbo - last < worst) worst = elbo - last;
        if (i && elbo - penalty - penalised < worst_penalised)
            worst_penalised = elbo - penalty - penalised;
        last = elbo;
        penalised = elbo - penalty;
        if (trace) printf("%3d %.6f %.3f s\n", i, elbo / (double)(train * T), cpu() - start);
    }
    double fit = cpu() - start;
    vdi_status converged = vdi_plds_elbo(p, data, NULL, &elbo, &err);
    need(converged);
    printf("%s d=%d: train %.4f (%d steps, %.2f s CPU; smallest rise %.2g, penalised %.2g nats%s)",
           argv[1], (int)desc.d, elbo / (double)(train * T), iterations, fit, worst,
           worst_penalised, converged > 0 ? ", not converged" : "");
    if (held > 0) {
        const int64_t rows = held * T;
        double *means = (double *)malloc((size_t)n * sizeof(double));
        double *log_p = (double *)malloc((size_t)(rows * n) * sizeof(double));
        double *rate = (double *)malloc((size_t)(rows * n) * sizeof(double));
        double sum;
        double *yh = values + train * T * n;
        vdi_plds_data *test = take(p, vdi_tensor_slice(y, 0, train, 1, held), pool);
        vdi_score_means(train * T, n, values, means);
        start = cpu();
        need(vdi_plds_elbo(p, test, NULL, &elbo, &err));
        printf("; held: homogeneous %.4f, bound %.4f (%.3f s)",
               vdi_score_homogeneous(rows, n, yh, means, NULL) / (double)rows, elbo / (double)rows,
               cpu() - start);
        need(vdi_plds_log_likelihood(p, test, 60, 1, NULL, NULL, &sum, &err));
        printf(", log p %.4f", sum / (double)rows);
        for (int task = 0; task < 2; task++) {
            vdi_plds_prediction out;
            vdi_score_bits bits, plug;
            memset(&out, 0, sizeof out);
            out.log_p = log_p;
            out.rate = rate;
            out.window = window;
            start = cpu();
            vdi_status s = vdi_plds_predict(
                p, test, task ? VDI_PLDS_ONE_STEP : VDI_PLDS_LEAVE_ONE_OUT, &out, &err);
            need(s);
            double spent = cpu() - start;
            need(vdi_score_bits_per_spike(rows, n, yh, log_p, means, &bits, &err));
            (void)vdi_score_poisson(rows * n, yh, rate, log_p);
            need(vdi_score_bits_per_spike(rows, n, yh, log_p, means, &plug, &err));
            printf(", %s %.4f (%.4f) bits/spike, mse %.4f, %.2f s%s", task ? "one-step" : "LNO",
                   bits.bits_per_spike, plug.bits_per_spike, vdi_score_mse(rows * n, yh, rate),
                   spent, s > 0 ? " (not converged)" : "");
        }
        vdi_plds_data_destroy(test);
        free(means);
        free(log_p);
        free(rate);
    }
    printf("\n");
    vdi_plds_data_destroy(data);
    vdi_plds_destroy(p);
    vdi_pool_destroy(pool);
    vdi_tensor_free(NULL, &y);
    vdi_tensor_free(NULL, &counts);
    return 0;
}
