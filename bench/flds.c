/* bench/flds.c - learning results of the PfLDS on the population sets: the tables of
 * docs/results/flds.md
 *
 *     flds SET D SEED [name=value ...]   SET: path without _counts.npy, or "simulated": a Poisson
 *                                        LDS, 130 trials of 100 bins, 30
 * neurons, D latents. Options: train (trials; default four fifths), restarts,
 * restart_steps, steps, rate, scale, wd, open, mask, reach, a0, free, link, posterior, linear,
 * missing (share of training counts removed), sampled_kl, from_plds, refine, predict, verbose;
 * plds=1 fits the Poisson LDS alone
 *
 * Prints one line of figures: held-out ELBO per bin before and after refinement,
 * leave-one-neuron-out and one-step bits per spike against training means, R2 of the rates where
 * they are known, CPU seconds of the fit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vdi.h"

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void fail(const vdi_error *err) {
    fprintf(stderr, "%s: %s\n", err->where, err->message);
    exit(1);
}
static void say(const vdi_log_record *r, void *user) {
    (void)user;
    fprintf(stderr, "%s\n", r->message);
}
static double option(int argc, char **argv, const char *name, double value) {
    size_t n = strlen(name);
    for (int i = 4; i < argc; i++)
        if (!strncmp(argv[i], name, n) && argv[i][n] == '=') value = atof(argv[i] + n + 1);
    return value;
}
static vdi_tensor load(const char *set, const char *what, int needed) {
    char path[512];
    vdi_tensor t = VDI__ZERO;
    vdi_error err;
    snprintf(path, sizeof path, "%s_%s.npy", set, what);
    t.ndim = -1;
    if (vdi_npy_load(path, NULL, &t, &err) < 0) {
        if (needed) fail(&err);
        t.ndim = -1;
    }
    return t;
}

/* Counts of a Poisson LDS: pairs of latents that rotate and decay, about 0.35 spikes a bin. */
static vdi_tensor simulate(int64_t d, int64_t trials, int64_t T, int64_t n) {
    vdi_plds_desc desc = VDI__ZERO;
    vdi_plds *p;
    vdi_error err;
    vdi_rng rng = vdi_rng_make(20, 0);
    vdi_tensor y;
    int64_t shape[3];
    shape[0] = trials;
    shape[1] = T;
    shape[2] = n;
    desc.d = d;
    desc.n = n;
    if (vdi_plds_create(&desc, &p, &err) < 0) fail(&err);
    for (int64_t i = 0; i < d; i++) {
        const bool pair = (i | 1) < d;
        const double angle = 0.1 + 0.1 * (double)(i / 2);
        p->A[i * d + i] = pair ? 0.97 * cos(angle) : 0.97;
        if (pair) p->A[i * d + (i ^ 1)] = (i % 2 ? 0.97 : -0.97) * sin(angle);
        p->Q[i * d + i] = 1 - 0.97 * 0.97;
    }
    for (int64_t j = 0; j < n; j++) {
        p->b[j] = log(0.25);
        for (int64_t i = 0; i < d; i++)
            p->C[j * d + i] = 0.5 * vdi_rng_normal(&rng);
    }
    double *z = (double *)malloc((size_t)(trials * T * d) * sizeof *z);
    double *work = (double *)malloc(vdi_plds_simulate_work(p) * sizeof *work);
    if (!z || !work) exit(1);
    if (vdi_tensor_alloc(NULL, VDI_F64, 3, shape, &y, &err) < 0) fail(&err);
    if (vdi_plds_simulate(p, 20, trials, T, 0, NULL, work, z, NULL, (double *)y.data, &err) < 0)
        fail(&err);
    vdi_plds_data_desc dd = VDI__ZERO;
    vdi_plds_data *held;
    double elbo;
    dd.y = vdi_tensor_slice(y, 0, 100, 1, trials - 100);
    if (vdi_plds_data_create(p, &dd, &held, &err) < 0 ||
        vdi_plds_elbo(p, held, NULL, &elbo, &err) < 0)
        fail(&err);
    printf("true parameters, held-out %.4f; ", elbo / (double)((trials - 100) * T));
    vdi_plds_data_destroy(held);
    vdi_plds_destroy(p);
    free(z);
    free(work);
    return y;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: flds SET D SEED [name=value ...]\n");
        return 2;
    }
    const char *set = argv[1];
    vdi_error err;
    const bool simulated = !strcmp(set, "simulated");
    vdi_tensor y = simulated ? simulate(atoi(argv[2]), 130, 100, 30) : load(set, "counts", 1);
    vdi_tensor rates = load(set, "rates", 0);
    int64_t trials = y.shape[0];
    int64_t T = y.shape[1];
    int64_t n = y.shape[2];
    int64_t train = (int64_t)option(
        argc, argv, "train", simulated ? 100 : (double)(int64_t)((double)trials * 0.8 + 0.5));
    vdi_vilds_desc desc = VDI__ZERO;
    desc.d = atoi(argv[2]);
    desc.n = n;
    desc.first_scale = option(argc, argv, "scale", 1);
    desc.a0 = option(argc, argv, "a0", 0.99);
    desc.free_start = option(argc, argv, "free", 0) != 0;
    desc.linear = option(argc, argv, "linear", 0) != 0;
    desc.posterior = (vdi_vilds_family)(int)option(argc, argv, "posterior", 0);
    desc.obs = (vdi_vilds_obs)(int)option(argc, argv, "obs", 0);
    desc.link = (vdi_vilds_link)(int)option(argc, argv, "link", 0);
    desc.has_reach = true;
    desc.reach = (int64_t)option(argc, argv, "reach", 2);
    desc.train.seed = (uint64_t)atoi(argv[3]);
    desc.train.restarts = (int64_t)option(argc, argv, "restarts", 1);
    desc.train.restart_steps = (int64_t)option(argc, argv, "restart_steps", 250);
    desc.train.steps = (int64_t)option(argc, argv, "steps", 1500);
    desc.train.rate = option(argc, argv, "rate", 1e-2);
    desc.train.weight_decay = option(argc, argv, "wd", 0);
    desc.train.open_from = option(argc, argv, "open", 0.3);
    desc.train.open_to = desc.train.open_from + 0.1;
    desc.train.mask_rate = option(argc, argv, "mask", 0.25);
    desc.train.sampled_kl = option(argc, argv, "sampled_kl", 0) != 0;
    if (option(argc, argv, "verbose", 0) != 0) desc.logger.log_fn = say;
    bool from_plds = option(argc, argv, "from_plds", 0) != 0;
    bool only_plds = option(argc, argv, "plds", 0) != 0;
    desc.skip = from_plds && !desc.linear;
    vdi_plds *plds = NULL;
    if (from_plds || only_plds) { /* the baseline: VB-EM on the same training trials */
        vdi_plds_desc pd = VDI__ZERO;
        vdi_plds_data *counts[2];
        double sum = 0;
        pd.d = desc.d;
        pd.n = n;
        if (vdi_plds_create(&pd, &plds, &err) < 0) fail(&err);
        for (int k = 0; k < 2; k++) {
            vdi_plds_data_desc dd = VDI__ZERO;
            dd.y = vdi_tensor_slice(y, 0, k ? train : 0, 1, k ? trials - train : train);
            if (vdi_plds_data_create(plds, &dd, &counts[k], &err) < 0) fail(&err);
        }
        if (vdi_plds_init(plds, counts[0], (uint64_t)atoi(argv[3]), &err) < 0) fail(&err);
        for (int i = 0; i < (int)option(argc, argv, "em", 100); i++)
            if (vdi_plds_em_step(plds, counts[0], &sum, &err) < 0) fail(&err);
        printf("PLDS VB-EM train %.4f", sum / (double)vdi_plds_data_observed_bins(counts[0]));
        if (vdi_plds_elbo(plds, counts[1], NULL, &sum, &err) < 0) fail(&err);
        printf(", held-out %.4f; ", sum / (double)((trials - train) * T));
        for (int k = 0; k < 2; k++)
            vdi_plds_data_destroy(counts[k]);
        if (only_plds) {
            /* predictions through the same code as the networks: its own posterior, refined from a
             * flat start */
            desc.linear = true;
            desc.dtype = VDI_F64;
            from_plds = true;
            desc.free_start = true;
        }
    }
    vdi_vilds *m;
    if (vdi_vilds_create(&desc, &m, &err) < 0) fail(&err);
    vdi_vilds_data *data[2];
    for (int k = 0; k < 2; k++) {
        vdi_vilds_data_desc dd = VDI__ZERO;
        dd.y = vdi_tensor_slice(y, 0, k ? train : 0, 1, k ? trials - train : train);
        if (vdi_vilds_data_create(m, &dd, &data[k], &err) < 0) fail(&err);
    }
    double missing = option(argc, argv, "missing", 0);
    if (missing > 0) {
        vdi_rng rng = vdi_rng_make(7, 0);
        unsigned char *mask = (unsigned char *)malloc((size_t)(train * T * n));
        if (!mask) return 1;
        for (int64_t i = 0; i < train * T * n; i++)
            mask[i] = !vdi_rng_bernoulli(&rng, missing);
        vdi_vilds_data_desc dd = VDI__ZERO;
        dd.y = vdi_tensor_slice(y, 0, 0, 1, train);
        dd.has_mask = true;
        dd.mask = vdi_tensor_3d(mask, VDI_U8, train, T, n);
        vdi_vilds_data_destroy(data[0]);
        if (vdi_vilds_data_create(m, &dd, &data[0], &err) < 0) fail(&err);
        free(mask);
    }
    if (from_plds &&
        (vdi_vilds_init(m, data[0], 0, &err) < 0 || vdi_flds_from_plds(m, plds, &err) < 0))
        fail(&err);
    vdi_plds_destroy(plds);
    double begin = seconds(), elbo[3];
    if (!only_plds && vdi_vilds_fit(m, data[0], NULL, NULL, NULL, &err) < 0) fail(&err);
    double fit = seconds() - begin;
    vdi_vilds_query q = VDI__ZERO;
    if (vdi_vilds_score(m, data[0], &q, &elbo[0], &err) < 0 ||
        vdi_vilds_score(m, data[1], &q, &elbo[1], &err) < 0)
        fail(&err);
    printf("%s d %d seed %s: fit %.1f s, train %.4f, held-out %.4f", set, (int)desc.d, argv[3], fit,
           elbo[0], elbo[1]);
    fflush(stdout);
    q.refine = (int64_t)option(argc, argv, "refine", 8);
    begin = seconds();
    if (desc.posterior == VDI_VILDS_PRODUCT && q.refine) {
        if (vdi_vilds_score(m, data[1], &q, &elbo[2], &err) < 0) fail(&err);
        printf(", refined %.4f (%.1f s)", elbo[2], seconds() - begin);
    }
    fflush(stdout);
    int64_t held = trials - train, cells = held * T * n;
    double *lp = (double *)malloc((size_t)cells * sizeof *lp);
    double *mean = (double *)malloc((size_t)n * sizeof *mean);
    double *yd = (double *)malloc((size_t)cells * sizeof *yd);
    double *all = (double *)malloc((size_t)(trials * T * n) * sizeof *all);
    double *rate = (double *)malloc((size_t)cells * sizeof *rate);
    if (!lp || !mean || !yd || !all || !rate) return 1;
    int64_t shape[3] = {trials, T, n};
    if (vdi_tensor_copy(vdi_tensor_view(all, VDI_F64, 3, shape), y, &err) < 0) fail(&err);
    memcpy(yd, all + train * T * n, (size_t)cells * sizeof *yd);
    vdi_score_means(train * T, n, all, mean);
    for (int k = 0; k < 2 && option(argc, argv, "predict", 1) != 0; k++) {
        vdi_score_bits bits;
        q.refine = only_plds ? 20 : (int64_t)option(argc, argv, "refine_predict", 0);
        begin = seconds();
        if (vdi_vilds_predict(m, data[1], k ? VDI_VILDS_ONE_STEP : VDI_VILDS_LEAVE_ONE_OUT, &q, lp,
                              rate, &err) < 0)
            fail(&err);
        if (vdi_score_bits_per_spike(held * T, n, yd, lp, mean, &bits, &err) < 0) fail(&err);
        printf(", %s %.4f (MSE %.4f, %.1f s)", k ? "one-step" : "LNO", bits.bits_per_spike,
               vdi_score_mse(cells, yd, rate), seconds() - begin);
        fflush(stdout);
    }
    if (vdi_tensor_ok(rates)) {
        for (int k = 0; k < 2; k++) {
            vdi_vilds_result r = VDI__ZERO;
            double r2;
            r.rate = rate;
            q.refine = k ? 8 : 0;
            q.samples = 32;
            if (vdi_vilds_infer(m, data[1], &q, &r, &err) < 0) fail(&err);
            if (vdi_tensor_copy(vdi_tensor_3d(yd, VDI_F64, held, T, n),
                                vdi_tensor_slice(rates, 0, train, 1, held), &err) < 0)
                fail(&err);
            if (vdi_score_r2(held * T, n, yd, rate, NULL, &r2, &err) < 0) fail(&err);
            printf(", R2%s %.4f", k ? " refined" : "", r2);
        }
    }
    printf("\n");
    free(lp);
    free(mean);
    free(yd);
    free(all);
    free(rate);
    for (int k = 0; k < 2; k++)
        vdi_vilds_data_destroy(data[k]);
    vdi_vilds_destroy(m);
    vdi_tensor_free(NULL, &y);
    if (vdi_tensor_ok(rates)) vdi_tensor_free(NULL, &rates);
    return 0;
}
