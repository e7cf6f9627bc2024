/* bench/flds.c - learning results of the PfLDS on the population sets: the tables of
 * docs/results/flds.md
 *
 *     flds SET D SEED [name=value ...]
 *
 * SET: path without _counts.npy, or "simulated": a Poisson LDS, 130 trials of 100 bins, 30 neurons,
 * D latents. Options: train (trials; default four fifths), restarts, restart_steps, steps, rate,
 * scale, wd, open, mask, reach, a0, free, link, obs, posterior, linear, missing (share of training
 * counts removed), sampled_kl, from_plds, em, refine, refine_predict, predict, verbose; plds=1 fits
 * the Poisson LDS alone
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

/* ---- one run --------------------------------------------------------------------------------- */

typedef struct run {
    int argc;
    char **argv;
    vdi_tensor y, rates; /* counts and, if known, true rates: (trials,T,n) */
    int64_t trials, T, n, train;
    bool from_plds, only_plds;
    vdi_vilds_desc desc;
    vdi_vilds *m;
    vdi_vilds_data *data[2]; /* trained on, held out */
} run;

static double of(const run *r, const char *name, double value) {
    return option(r->argc, r->argv, name, value);
}

static vdi_tensor trials_of(const run *r, vdi_tensor t, bool held) {
    return vdi_tensor_slice(t, 0, held ? r->train : 0, 1, held ? r->trials - r->train : r->train);
}

static void describe(run *r) {
    vdi_vilds_desc *desc = &r->desc;
    desc->d = atoi(r->argv[2]);
    desc->n = r->n;
    desc->first_scale = of(r, "scale", 1);
    desc->a0 = of(r, "a0", 0.99);
    desc->free_start = of(r, "free", 0) != 0;
    desc->linear = of(r, "linear", 0) != 0;
    desc->posterior = (vdi_vilds_family)(int)of(r, "posterior", 0);
    desc->obs = (vdi_vilds_obs)(int)of(r, "obs", 0);
    desc->link = (vdi_vilds_link)(int)of(r, "link", 0);
    desc->has_reach = true;
    desc->reach = (int64_t)of(r, "reach", 2);
    desc->train.seed = (uint64_t)atoi(r->argv[3]);
    desc->train.restarts = (int64_t)of(r, "restarts", 1);
    desc->train.restart_steps = (int64_t)of(r, "restart_steps", 250);
    desc->train.steps = (int64_t)of(r, "steps", 1500);
    desc->train.rate = of(r, "rate", 1e-2);
    desc->train.weight_decay = of(r, "wd", 0);
    desc->train.open_from = of(r, "open", 0.3);
    desc->train.open_to = desc->train.open_from + 0.1;
    desc->train.mask_rate = of(r, "mask", 0.25);
    desc->train.sampled_kl = of(r, "sampled_kl", 0) != 0;
    if (of(r, "verbose", 0) != 0) desc->logger.log_fn = say;
    r->from_plds = of(r, "from_plds", 0) != 0;
    r->only_plds = of(r, "plds", 0) != 0;
    desc->skip = r->from_plds && !desc->linear;
}

/* The baseline: VB-EM on the same training trials. */
static vdi_plds *baseline(const run *r) {
    vdi_plds_desc desc = VDI__ZERO;
    vdi_plds *plds;
    vdi_plds_data *counts[2];
    vdi_error err;
    double sum = 0;
    desc.d = r->desc.d;
    desc.n = r->n;
    if (vdi_plds_create(&desc, &plds, &err) < 0) fail(&err);
    for (int k = 0; k < 2; k++) {
        vdi_plds_data_desc dd = VDI__ZERO;
        dd.y = trials_of(r, r->y, k);
        if (vdi_plds_data_create(plds, &dd, &counts[k], &err) < 0) fail(&err);
    }
    if (vdi_plds_init(plds, counts[0], (uint64_t)atoi(r->argv[3]), &err) < 0) fail(&err);
    for (int i = 0; i < (int)of(r, "em", 100); i++)
        if (vdi_plds_em_step(plds, counts[0], &sum, &err) < 0) fail(&err);
    printf("PLDS VB-EM train %.4f", sum / (double)vdi_plds_data_observed_bins(counts[0]));
    if (vdi_plds_elbo(plds, counts[1], NULL, &sum, &err) < 0) fail(&err);
    printf(", held-out %.4f; ", sum / (double)((r->trials - r->train) * r->T));
    for (int k = 0; k < 2; k++)
        vdi_plds_data_destroy(counts[k]);
    return plds;
}

static void take_data(run *r) {
    const double missing = of(r, "missing", 0);
    unsigned char *mask = NULL;
    vdi_error err;
    if (missing > 0) {
        vdi_rng rng = vdi_rng_make(7, 0);
        const int64_t cells = r->train * r->T * r->n;
        mask = (unsigned char *)malloc((size_t)cells);
        if (!mask) exit(1);
        for (int64_t i = 0; i < cells; i++)
            mask[i] = !vdi_rng_bernoulli(&rng, missing);
    }
    for (int k = 0; k < 2; k++) {
        vdi_vilds_data_desc dd = VDI__ZERO;
        dd.y = trials_of(r, r->y, k);
        dd.has_mask = !k && mask;
        if (dd.has_mask) dd.mask = vdi_tensor_3d(mask, VDI_U8, r->train, r->T, r->n);
        if (vdi_vilds_data_create(r->m, &dd, &r->data[k], &err) < 0) fail(&err);
    }
    free(mask);
}

/* Creates the model and fits it, from a Poisson LDS if asked for. */
static void fit(run *r) {
    vdi_plds *plds = NULL;
    vdi_vilds_query q = VDI__ZERO;
    vdi_error err;
    double elbo[2];
    if (r->from_plds || r->only_plds) plds = baseline(r);
    if (r->only_plds) {
        /* predictions through the same code as the networks: its own posterior, refined from a
         * flat start */
        r->desc.linear = true;
        r->desc.dtype = VDI_F64;
        r->from_plds = true;
        r->desc.free_start = true;
    }
    if (vdi_vilds_create(&r->desc, &r->m, &err) < 0) fail(&err);
    take_data(r);
    if (r->from_plds &&
        (vdi_vilds_init(r->m, r->data[0], 0, &err) < 0 || vdi_flds_from_plds(r->m, plds, &err) < 0))
        fail(&err);
    vdi_plds_destroy(plds);
    const double begin = seconds();
    if (!r->only_plds && vdi_vilds_fit(r->m, r->data[0], NULL, NULL, NULL, &err) < 0) fail(&err);
    const double spent = seconds() - begin;
    for (int k = 0; k < 2; k++)
        if (vdi_vilds_score(r->m, r->data[k], &q, &elbo[k], &err) < 0) fail(&err);
    printf("%s d %d seed %s: fit %.1f s, train %.4f, held-out %.4f", r->argv[1], (int)r->desc.d,
           r->argv[3], spent, elbo[0], elbo[1]);
    fflush(stdout);
}

static void refine(const run *r) {
    vdi_vilds_query q = VDI__ZERO;
    vdi_error err;
    double elbo;
    q.refine = (int64_t)of(r, "refine", 8);
    if (r->desc.posterior != VDI_VILDS_PRODUCT || !q.refine) return;
    const double begin = seconds();
    if (vdi_vilds_score(r->m, r->data[1], &q, &elbo, &err) < 0) fail(&err);
    printf(", refined %.4f (%.1f s)", elbo, seconds() - begin);
    fflush(stdout);
}

/* Held-out counts that are predicted from other neurons, or from the past. */
static void predict(const run *r) {
    const int64_t held = r->trials - r->train, cells = held * r->T * r->n;
    const int64_t shape[3] = {r->trials, r->T, r->n};
    double *log_p = (double *)malloc((size_t)cells * sizeof *log_p);
    double *rate = (double *)malloc((size_t)cells * sizeof *rate);
    double *mean = (double *)malloc((size_t)r->n * sizeof *mean);
    double *all = (double *)malloc((size_t)(r->trials * r->T * r->n) * sizeof *all);
    vdi_error err;
    if (!log_p || !rate || !mean || !all) exit(1);
    if (vdi_tensor_copy(vdi_tensor_view(all, VDI_F64, 3, shape), r->y, &err) < 0) fail(&err);
    const double *y = all + r->train * r->T * r->n;
    vdi_score_means(r->train * r->T, r->n, all, mean);
    for (int k = 0; k < 2; k++) {
        vdi_vilds_query q = VDI__ZERO;
        vdi_score_bits bits;
        q.refine = r->only_plds ? 20 : (int64_t)of(r, "refine_predict", 0);
        const double begin = seconds();
        if (vdi_vilds_predict(r->m, r->data[1], k ? VDI_VILDS_ONE_STEP : VDI_VILDS_LEAVE_ONE_OUT,
                              &q, log_p, rate, &err) < 0)
            fail(&err);
        if (vdi_score_bits_per_spike(held * r->T, r->n, y, log_p, mean, &bits, &err) < 0)
            fail(&err);
        printf(", %s %.4f (MSE %.4f, %.1f s)", k ? "one-step" : "LNO", bits.bits_per_spike,
               vdi_score_mse(cells, y, rate), seconds() - begin);
        fflush(stdout);
    }
    free(log_p);
    free(rate);
    free(mean);
    free(all);
}

/* Inferred rates against the true ones, before and after refinement. */
static void recover(const run *r) {
    const int64_t held = r->trials - r->train, cells = held * r->T * r->n;
    double *truth = (double *)malloc((size_t)cells * sizeof *truth);
    double *rate = (double *)malloc((size_t)cells * sizeof *rate);
    vdi_error err;
    if (!truth || !rate) exit(1);
    if (vdi_tensor_copy(vdi_tensor_3d(truth, VDI_F64, held, r->T, r->n),
                        trials_of(r, r->rates, true), &err) < 0)
        fail(&err);
    for (int k = 0; k < 2; k++) {
        vdi_vilds_query q = VDI__ZERO;
        vdi_vilds_result result = VDI__ZERO;
        double r2;
        result.rate = rate;
        q.refine = k ? 8 : 0;
        q.samples = 32;
        if (vdi_vilds_infer(r->m, r->data[1], &q, &result, &err) < 0) fail(&err);
        if (vdi_score_r2(held * r->T, r->n, truth, rate, NULL, &r2, &err) < 0) fail(&err);
        printf(", R2%s %.4f", k ? " refined" : "", r2);
    }
    free(truth);
    free(rate);
}

int main(int argc, char **argv) {
    run r = VDI__ZERO;
    if (argc < 4) {
        fprintf(stderr, "usage: flds SET D SEED [name=value ...]\n");
        return 2;
    }
    const bool simulated = !strcmp(argv[1], "simulated");
    r.argc = argc;
    r.argv = argv;
    r.y = simulated ? simulate(atoi(argv[2]), 130, 100, 30) : load(argv[1], "counts", 1);
    r.rates = load(argv[1], "rates", 0);
    r.trials = r.y.shape[0];
    r.T = r.y.shape[1];
    r.n = r.y.shape[2];
    const int64_t most = simulated ? 100 : (int64_t)((double)r.trials * 0.8 + 0.5);
    r.train = (int64_t)of(&r, "train", (double)most);
    describe(&r);
    fit(&r);
    refine(&r);
    if (of(&r, "predict", 1) != 0) predict(&r);
    if (vdi_tensor_ok(r.rates)) recover(&r);
    printf("\n");
    for (int k = 0; k < 2; k++)
        vdi_vilds_data_destroy(r.data[k]);
    vdi_vilds_destroy(r.m);
    vdi_tensor_free(NULL, &r.y);
    if (vdi_tensor_ok(r.rates)) vdi_tensor_free(NULL, &r.rates);
    return 0;
}
