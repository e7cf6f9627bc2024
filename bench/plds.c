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

typedef struct options {
    vdi_plds_desc desc;
    int64_t train;
    int iterations, seed, threads, window;
    bool trace;
} options;

static options options_of(int argc, char **argv) {
    options o;
    memset(&o, 0, sizeof o);
    o.iterations = 40;
    o.seed = 1;
    o.threads = 1;
    if (argc < 3) {
        fprintf(stderr, "plds COUNTS.npy D [--laplace] [--iterations N] [--train K] [--seed S] "
                        "[--threads P] [--window W] [--trace]\n");
        exit(2);
    }
    o.desc.d = atoi(argv[2]);
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--laplace")) {
            o.desc.method = VDI_PLDS_LAPLACE;
        } else if (!strcmp(argv[i], "--trace")) {
            o.trace = true;
        } else if (!strcmp(argv[i], "--iterations") && i + 1 < argc) {
            o.iterations = atoi(argv[++i]);
        } else if (!strcmp(argv[i], "--train") && i + 1 < argc) {
            o.train = atoi(argv[++i]);
        } else if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
            o.seed = atoi(argv[++i]);
        } else if (!strcmp(argv[i], "--window") && i + 1 < argc) {
            o.window = atoi(argv[++i]);
        } else if (!strcmp(argv[i], "--threads") && i + 1 < argc) {
            o.threads = atoi(argv[++i]);
        } else {
            fprintf(stderr, "plds: %s?\n", argv[i]);
            exit(2);
        }
    }
    return o;
}

/* Prints the bound of a fit, and how much a step of it raised the bound at least. */
static void fit(vdi_plds *p, vdi_plds_data *data, const options *o, const char *set) {
    const double bins = (double)vdi_plds_data_observed_bins(data);
    double elbo = 0;
    double last = -1e300;
    double worst = 1e300;
    double worst_penalised = 1e300;
    double penalised = -1e300;
    const double start = cpu();
    need(vdi_plds_init(p, data, (uint64_t)o->seed, &err));
    for (int i = 0; i < o->iterations; i++) {
        const double penalty = vdi_plds_penalty(p);
        need(vdi_plds_em_step(p, data, &elbo, &err));
        if (i && elbo - last < worst) worst = elbo - last;
        if (i && elbo - penalty - penalised < worst_penalised)
            worst_penalised = elbo - penalty - penalised;
        last = elbo;
        penalised = elbo - penalty;
        if (o->trace) printf("%3d %.6f %.3f s\n", i, elbo / bins, cpu() - start);
    }
    const double spent = cpu() - start;
    const vdi_status converged = vdi_plds_elbo(p, data, NULL, &elbo, &err);
    need(converged);
    printf("%s d=%d: train %.4f (%d steps, %.2f s CPU; smallest rise %.2g, penalised %.2g nats%s)",
           set, (int)o->desc.d, elbo / bins, o->iterations, spent, worst, worst_penalised,
           converged > 0 ? ", not converged" : "");
}

/* Counts y (rows,n) predicted from other neurons, or from the past. */
static void predict(const vdi_plds *p, vdi_plds_data *test, const options *o, int64_t rows,
                    const double *y, const double *means) {
    const int64_t n = o->desc.n;
    double *log_p = (double *)malloc((size_t)(rows * n) * sizeof(double));
    double *rate = (double *)malloc((size_t)(rows * n) * sizeof(double));
    if (!log_p || !rate) exit(1);
    for (int task = 0; task < 2; task++) {
        vdi_plds_prediction out;
        vdi_score_bits bits, plug;
        memset(&out, 0, sizeof out);
        out.log_p = log_p;
        out.rate = rate;
        out.window = o->window;
        const double start = cpu();
        const vdi_status s = vdi_plds_predict(
            p, test, task ? VDI_PLDS_ONE_STEP : VDI_PLDS_LEAVE_ONE_OUT, &out, &err);
        need(s);
        const double spent = cpu() - start;
        need(vdi_score_bits_per_spike(rows, n, y, log_p, means, &bits, &err));
        (void)vdi_score_poisson(rows * n, y, rate, log_p);
        need(vdi_score_bits_per_spike(rows, n, y, log_p, means, &plug, &err));
        printf(", %s %.4f (%.4f) bits/spike, mse %.4f, %.2f s%s", task ? "one-step" : "LNO",
               bits.bits_per_spike, plug.bits_per_spike, vdi_score_mse(rows * n, y, rate), spent,
               s > 0 ? " (not converged)" : "");
    }
    free(log_p);
    free(rate);
}

/* The trials of y that were not trained on. */
static void judge(const vdi_plds *p, vdi_tensor y, const options *o, vdi_pool *pool) {
    const int64_t held = y.shape[0] - o->train, T = y.shape[1], n = y.shape[2], rows = held * T;
    const double *yh = (const double *)y.data + o->train * T * n;
    double *means = (double *)malloc((size_t)n * sizeof(double));
    double elbo, sum;
    if (!means) exit(1);
    vdi_plds_data *test = take(p, vdi_tensor_slice(y, 0, o->train, 1, held), pool);
    vdi_score_means(o->train * T, n, (const double *)y.data, means);
    const double start = cpu();
    need(vdi_plds_elbo(p, test, NULL, &elbo, &err));
    printf("; held: homogeneous %.4f, bound %.4f (%.3f s)",
           vdi_score_homogeneous(rows, n, yh, means, NULL) / (double)rows, elbo / (double)rows,
           cpu() - start);
    need(vdi_plds_log_likelihood(p, test, 60, 1, NULL, NULL, &sum, &err));
    printf(", log p %.4f", sum / (double)rows);
    predict(p, test, o, rows, yh, means);
    vdi_plds_data_destroy(test);
    free(means);
}

int main(int argc, char **argv) {
    options o = options_of(argc, argv);
    vdi_plds *p = NULL;
    vdi_tensor counts, y;
    vdi_pool *pool = NULL;
    need(vdi_npy_load(argv[1], NULL, &counts, &err));
    if (counts.ndim != 3) {
        fprintf(stderr, "plds: counts have to be (trials,T,n)\n");
        return 2;
    }
    need(vdi_tensor_alloc(NULL, VDI_F64, 3, counts.shape, &y, &err));
    need(vdi_tensor_copy(y, counts, &err));
    if (o.train <= 0 || o.train > y.shape[0]) o.train = y.shape[0];
    o.desc.n = y.shape[2];
    need(vdi_plds_create(&o.desc, &p, &err));
    if (o.threads > 1) need(vdi_pool_create(o.threads, NULL, &pool, &err));
    vdi_plds_data *data = take(p, vdi_tensor_slice(y, 0, 0, 1, o.train), pool);
    fit(p, data, &o, argv[1]);
    if (o.train < y.shape[0]) judge(p, y, &o, pool);
    printf("\n");
    vdi_plds_data_destroy(data);
    vdi_plds_destroy(p);
    vdi_pool_destroy(pool);
    vdi_tensor_free(NULL, &y);
    vdi_tensor_free(NULL, &counts);
    return 0;
}
