/* bench/folds.c - does the network read-out beat the linear one? Folds of trials, both models on
 * each, paired differences
 *
 *     folds SET D SEED [name=value ...]      SET: path without _counts.npy
 *
 * For each of `folds` (5) blocks of trials: a Poisson LDS by VB-EM (the best of `starts` starts by
 * training bound, `em` steps) and a PfLDS, both trained on the other blocks and scored on this one.
 * The PfLDS starts from that Poisson LDS (from_plds=1, a linear read-out plus a network whose
 * output begins at 0: `pre` steps of the encoder alone, then `steps` of everything) or at random.
 * Prints bounds in nats per bin, leave-one-neuron-out in bits per spike, and over the folds the
 * mean of the difference with its standard error.
 * Options besides: hidden, layers, rate, last, wd, mask, mask_trials, reach, open, scale, a0,
 * restarts, restart_steps, refine, lno_refine, keep (share of the training trials kept for early
 * stopping), only (one fold), verbose.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vdi.h"

static vdi_error err;
static void need(vdi_status status) {
    if (status >= 0) return;
    fprintf(stderr, "folds: %s: %s\n", err.where, err.message);
    exit(1);
}
static void say(const vdi_log_record *r, void *user) {
    (void)user;
    fprintf(stderr, "%s\n", r->message);
}
static int arg_count;
static char **args;
static double option(const char *name, double value) {
    size_t n = strlen(name);
    for (int i = 4; i < arg_count; i++)
        if (!strncmp(args[i], name, n) && args[i][n] == '=') value = atof(args[i] + n + 1);
    return value;
}

/* Trials that are in block `fold` of `folds`, or all others; every k-th of them with `keep`, or all
 * but those. Returns how many. */
static int64_t choose(const vdi_tensor *y, int64_t fold, int64_t folds, bool inside, double *to) {
    int64_t trials = y->shape[0], cells = y->shape[1] * y->shape[2], count = 0;
    for (int64_t i = 0; i < trials; i++) {
        if ((i * folds / trials == fold) != inside) continue;
        memcpy(to + count++ * cells, (const double *)y->data + i * cells,
               (size_t)cells * sizeof *to);
    }
    return count;
}

typedef struct split {
    double *y;
    int64_t trials, T, n;
} split;
static vdi_tensor view(const split *s) {
    return vdi_tensor_3d(s->y, VDI_F64, s->trials, s->T, s->n);
}

static vdi_plds *fit_plds(const split *train, int64_t d, uint64_t seed, double *bound) {
    int starts = (int)option("starts", 8), em = (int)option("em", 200);
    vdi_plds *best = NULL;
    *bound = -1e300;
    for (int k = 0; k < starts; k++) {
        vdi_plds_desc desc = VDI__ZERO;
        vdi_plds_data_desc dd = VDI__ZERO;
        vdi_plds *plds;
        vdi_plds_data *data;
        double elbo = 0;
        desc.d = d;
        desc.n = train->n;
        dd.y = view(train);
        need(vdi_plds_create(&desc, &plds, &err));
        need(vdi_plds_data_create(plds, &dd, &data, &err));
        need(vdi_plds_init(plds, data, seed * 100 + (uint64_t)k, &err));
        for (int i = 0; i < em; i++)
            need(vdi_plds_em_step(plds, data, &elbo, &err));
        vdi_plds_data_destroy(data);
        if (elbo > *bound) {
            *bound = elbo;
            vdi_plds_destroy(best);
            best = plds;
        } else {
            vdi_plds_destroy(plds);
        }
    }
    *bound /= (double)(train->trials * train->T);
    return best;
}

static vdi_vilds_data *take(const vdi_vilds *m, vdi_tensor y) {
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds_data *data;
    dd.y = y;
    need(vdi_vilds_data_create(m, &dd, &data, &err));
    return data;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: folds SET D SEED [name=value ...]\n");
        return 2;
    }
    arg_count = argc;
    args = argv;
    char path[512];
    vdi_tensor counts, y;
    snprintf(path, sizeof path, "%s_counts.npy", argv[1]);
    need(vdi_npy_load(path, NULL, &counts, &err));
    need(vdi_tensor_alloc(NULL, VDI_F64, 3, counts.shape, &y, &err));
    need(vdi_tensor_copy(y, counts, &err));
    int64_t trials = y.shape[0];
    int64_t T = y.shape[1];
    int64_t n = y.shape[2];
    int64_t d = atoi(argv[2]);
    int64_t folds = (int64_t)option("folds", 5);
    int64_t done = 0;
    uint64_t seed = (uint64_t)atoi(argv[3]);
    size_t cells = (size_t)(trials * T * n);
    double *buffer[2];
    double *lp = (double *)malloc(cells * sizeof *lp);
    double *means = (double *)malloc((size_t)n * sizeof *means);
    double diff[4][32];
    buffer[0] = (double *)malloc(cells * sizeof(double));
    buffer[1] = (double *)malloc(cells * sizeof(double));
    if (!buffer[0] || !buffer[1] || !lp || !means) return 1;
    for (int64_t fold = 0; fold < folds && fold < 32; fold++) {
        split train = {buffer[0], 0, T, n}, held = {buffer[1], 0, T, n};
        vdi_score_bits bits;
        double bound, plds_elbo, plds_lno, elbo[3], lno[2];
        if (option("only", -1) >= 0 && (int64_t)option("only", -1) != fold) continue;
        train.trials = choose(&y, fold, folds, false, train.y);
        held.trials = choose(&y, fold, folds, true, held.y);
        vdi_score_means(train.trials * T, n, train.y, means);
        double per_bin = 1 / (double)(held.trials * T);
        /* the linear read-out */
        vdi_plds *plds = fit_plds(&train, d, seed, &bound);
        vdi_plds_data_desc pdd = VDI__ZERO;
        vdi_plds_data *pheld;
        vdi_plds_prediction out = VDI__ZERO;
        pdd.y = view(&held);
        out.log_p = lp;
        need(vdi_plds_data_create(plds, &pdd, &pheld, &err));
        need(vdi_plds_elbo(plds, pheld, NULL, &plds_elbo, &err));
        plds_elbo *= per_bin;
        need(vdi_plds_predict(plds, pheld, VDI_PLDS_LEAVE_ONE_OUT, &out, &err));
        need(vdi_score_bits_per_spike(held.trials * T, n, held.y, lp, means, &bits, &err));
        plds_lno = bits.bits_per_spike;
        vdi_plds_data_destroy(pheld);
        /* the network */
        vdi_vilds_desc desc = VDI__ZERO;
        bool from_plds = option("from_plds", 1) != 0;
        desc.d = d;
        desc.n = n;
        desc.skip = from_plds;
        desc.free_start = true;
        desc.layers = (int32_t)option("layers", 2);
        for (int i = 0; i < desc.layers; i++)
            desc.hidden[i] = (int64_t)option("hidden", 60);
        desc.first_scale = option("scale", 1);
        desc.a0 = option("a0", 0.95);
        desc.has_reach = true;
        desc.reach = (int64_t)option("reach", 2);
        vdi_vilds_train *tr = &desc.train;
        tr->seed = seed;
        tr->weight_decay = option("wd", 1);
        tr->rate = option("rate", 5e-3);
        tr->last_rate = option("last", 0);
        tr->steps = (int64_t)option("steps", 800);
        tr->restarts = from_plds ? 1 : (int64_t)option("restarts", 1);
        tr->restart_steps = (int64_t)option("restart_steps", 200);
        tr->open_from = option("open", 0.2);
        tr->open_to = tr->open_from + 0.1;
        if (from_plds) {
            tr->open_from = 0;
            tr->open_to = 1e-9;
        }
        tr->mask_rate = option("mask", 0.25);
        tr->mask_trials = option("mask_trials", 0.8);
        if (option("verbose", 0) != 0) desc.logger.log_fn = say;
        vdi_vilds *m;
        need(vdi_vilds_create(&desc, &m, &err));
        int64_t kept = (int64_t)(option("keep", 0) * (double)train.trials);
        int64_t used = train.trials - kept;
        vdi_tensor all = view(&train);
        /* the trials kept for early stopping are spread over the recording */
        if (kept) {
            double *mixed = (double *)malloc(cells * sizeof *mixed);
            int64_t a = 0, b = used;
            if (!mixed) return 1;
            for (int64_t i = 0; i < train.trials; i++) {
                bool out_of_it = (i + 1) * kept / train.trials != i * kept / train.trials;
                memcpy(mixed + (out_of_it ? b++ : a++) * T * n, train.y + i * T * n,
                       (size_t)(T * n) * sizeof *mixed);
            }
            memcpy(train.y, mixed, (size_t)(train.trials * T * n) * sizeof *mixed);
            free(mixed);
        }
        vdi_vilds_data *td = take(m, vdi_tensor_slice(all, 0, 0, 1, used));
        vdi_vilds_data *hd = take(m, view(&held));
        vdi_vilds_data *vd = kept ? take(m, vdi_tensor_slice(all, 0, used, 1, kept)) : NULL;
        if (from_plds) {
            need(vdi_vilds_init(m, td, 0, &err));
            need(vdi_flds_from_plds(m, plds, &err));
            if (option("pre", 400) > 0)
                need(vdi_flds_fit_encoder(m, td, (int64_t)option("pre", 400), &err));
        }
        if (tr->steps > 1) need(vdi_vilds_fit(m, td, vd, NULL, NULL, &err));
        vdi_vilds_query q = VDI__ZERO;
        need(vdi_vilds_score(m, td, &q, &elbo[0], &err));
        need(vdi_vilds_score(m, hd, &q, &elbo[1], &err));
        q.refine = (int64_t)option("refine", 20);
        need(vdi_vilds_score(m, hd, &q, &elbo[2], &err));
        for (int k = 0; k < 2; k++) {
            q.refine = k ? (int64_t)option("lno_refine", 10) : 0;
            lno[k] = NAN;
            if (k && !q.refine) continue;
            need(vdi_vilds_predict(m, hd, VDI_VILDS_LEAVE_ONE_OUT, &q, lp, NULL, &err));
            need(vdi_score_bits_per_spike(held.trials * T, n, held.y, lp, means, &bits, &err));
            lno[k] = bits.bits_per_spike;
        }
        printf("fold %d: PLDS train %.4f held %.4f LNO %.4f | PfLDS train %.4f held %.4f refined "
               "%.4f LNO %.4f refined %.4f\n",
               (int)fold, bound, plds_elbo, plds_lno, elbo[0], elbo[1], elbo[2], lno[0], lno[1]);
        fflush(stdout);
        diff[0][done] = elbo[2] - plds_elbo;
        diff[1][done] = lno[0] - plds_lno;
        diff[2][done++] = lno[1] - plds_lno;
        vdi_vilds_data_destroy(td);
        vdi_vilds_data_destroy(hd);
        vdi_vilds_data_destroy(vd);
        vdi_vilds_destroy(m);
        vdi_plds_destroy(plds);
    }
    static const char *const what[] = {"refined ELBO", "LNO amortised", "LNO refined"};
    for (int k = 0; k < 3 && done > 1; k++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < done; i++)
            sum += diff[k][i] / (double)done;
        for (int64_t i = 0; i < done; i++)
            squares += (diff[k][i] - sum) * (diff[k][i] - sum);
        printf("%s, PfLDS - PLDS: %+.4f +- %.4f; ", what[k], sum,
               sqrt(squares / (double)(done - 1) / (double)done));
    }
    printf("\n");
    free(buffer[0]);
    free(buffer[1]);
    free(lp);
    free(means);
    vdi_tensor_free(NULL, &y);
    vdi_tensor_free(NULL, &counts);
    return 0;
}
