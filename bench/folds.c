/* bench/folds.c - does the network read-out beat the linear one? Folds of trials, both models on
 * each, paired differences
 *
 *     folds SET D SEED [name=value ...]      SET: path without _counts.npy
 *
 * For each of `folds` (5) blocks of trials: a Poisson LDS by VB-EM (the best of `starts` starts by
 * training bound, `em` steps) and a PfLDS, both trained on the other blocks and scored on this one.
 * The PfLDS starts from that Poisson LDS (from_plds=1, a linear read-out plus a network whose
 * output begins at 0: `pre` steps of the encoder alone, then `steps` of everything) or at random;
 * `encoder` steps of the encoder alone, with left-out neurons to predict, come last.
 * Prints bounds in nats per bin, leave-one-neuron-out in bits per spike, and over the folds the
 * mean of the difference with its standard error.
 * With network=0 the Poisson LDS alone.
 * Options besides: hidden, layers, rate, last, wd, mask, mask_trials, reach, open, scale, a0,
 * restarts, restart_steps, refine, lno_refine, nodes (of LNO's quadrature, each latent dimension),
 * keep (share of the training trials kept for early stopping), only (one fold), verbose.
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

/* ---- one fold -------------------------------------------------------------------------------- */

/* Bounds in nats per bin, leave-one-neuron-out (LNO) in bits per spike. */
typedef struct plds_figures {
    double train, held, lno;
} plds_figures;
typedef struct network_figures {
    double train, held, refined, lno, lno_refined; /* lno_refined: NaN where not asked for */
} network_figures;

typedef struct fold {
    split train, held;
    double *means, *log_p; /* (n) training means; predictions, of as many cells as the set has */
} fold;

static double bits_per_spike(const fold *f) {
    vdi_score_bits bits;
    need(vdi_score_bits_per_spike(f->held.trials * f->held.T, f->held.n, f->held.y, f->log_p,
                                  f->means, &bits, &err));
    return bits.bits_per_spike;
}

/* The linear read-out. */
static void score_plds(const fold *f, const vdi_plds *plds, plds_figures *out) {
    vdi_plds_data_desc desc = VDI__ZERO;
    vdi_plds_data *held;
    vdi_plds_prediction prediction = VDI__ZERO;
    desc.y = view(&f->held);
    prediction.log_p = f->log_p;
    need(vdi_plds_data_create(plds, &desc, &held, &err));
    need(vdi_plds_elbo(plds, held, NULL, &out->held, &err));
    out->held /= (double)(f->held.trials * f->held.T);
    need(vdi_plds_predict(plds, held, VDI_PLDS_LEAVE_ONE_OUT, &prediction, &err));
    out->lno = bits_per_spike(f);
    vdi_plds_data_destroy(held);
}

static vdi_vilds_desc network(int64_t d, int64_t n, uint64_t seed, bool from_plds) {
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_train *tr = &desc.train;
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
    tr->seed = seed;
    tr->weight_decay = option("wd", 1);
    tr->rate = option("rate", 5e-3);
    tr->last_rate = option("last", 0);
    tr->steps = (int64_t)option("steps", 800);
    tr->encoder_steps = (int64_t)option("encoder", 0);
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
    return desc;
}

/* Moves `kept` trials, spread over the recording, behind the others. */
static void keep_back(const split *s, int64_t kept) {
    const int64_t cells = s->T * s->n;
    double *mixed = (double *)malloc((size_t)(s->trials * cells) * sizeof *mixed);
    int64_t used = 0, behind = s->trials - kept;
    if (!mixed) exit(1);
    for (int64_t i = 0; i < s->trials; i++) {
        const bool out = (i + 1) * kept / s->trials != i * kept / s->trials;
        const int64_t to = out ? behind++ : used++;
        memcpy(mixed + to * cells, s->y + i * cells, (size_t)cells * sizeof *mixed);
    }
    memcpy(s->y, mixed, (size_t)(s->trials * cells) * sizeof *mixed);
    free(mixed);
}

static void train_network(vdi_vilds *m, const vdi_plds *plds, vdi_vilds_data *train,
                          vdi_vilds_data *validation) {
    const int64_t encoder_steps = (int64_t)option("pre", 400);
    if (plds) {
        need(vdi_vilds_init(m, train, 0, &err));
        need(vdi_flds_from_plds(m, plds, &err));
        if (encoder_steps > 0) need(vdi_flds_fit_encoder(m, train, encoder_steps, &err));
    }
    if (option("steps", 800) > 1 || option("encoder", 0) > 0)
        need(vdi_vilds_fit(m, train, validation, NULL, NULL, &err));
}

static void score_network(const fold *f, int64_t d, const vdi_plds *plds, uint64_t seed,
                          network_figures *out) {
    const bool from_plds = option("from_plds", 1) != 0;
    const vdi_vilds_desc desc = network(d, f->train.n, seed, from_plds);
    const int64_t kept = (int64_t)(option("keep", 0) * (double)f->train.trials);
    const int64_t used = f->train.trials - kept;
    const vdi_tensor all = view(&f->train);
    vdi_vilds_query q = VDI__ZERO;
    vdi_vilds *m;
    q.nodes = (int64_t)option("nodes", 0);
    need(vdi_vilds_create(&desc, &m, &err));
    if (kept) keep_back(&f->train, kept);
    vdi_vilds_data *train = take(m, vdi_tensor_slice(all, 0, 0, 1, used));
    vdi_vilds_data *held = take(m, view(&f->held));
    vdi_vilds_data *validation = kept ? take(m, vdi_tensor_slice(all, 0, used, 1, kept)) : NULL;
    train_network(m, from_plds ? plds : NULL, train, validation);
    need(vdi_vilds_score(m, train, &q, &out->train, &err));
    need(vdi_vilds_score(m, held, &q, &out->held, &err));
    need(vdi_vilds_predict(m, held, VDI_VILDS_LEAVE_ONE_OUT, &q, f->log_p, NULL, &err));
    out->lno = bits_per_spike(f);
    q.refine = (int64_t)option("refine", 20);
    need(vdi_vilds_score(m, held, &q, &out->refined, &err));
    q.refine = (int64_t)option("lno_refine", 10);
    out->lno_refined = NAN;
    if (q.refine) {
        need(vdi_vilds_predict(m, held, VDI_VILDS_LEAVE_ONE_OUT, &q, f->log_p, NULL, &err));
        out->lno_refined = bits_per_spike(f);
    }
    vdi_vilds_data_destroy(train);
    vdi_vilds_data_destroy(held);
    vdi_vilds_data_destroy(validation);
    vdi_vilds_destroy(m);
}

/* ---- all folds ------------------------------------------------------------------------------- */

enum { MAX_FOLDS = 32, DIFFERENCES = 3 };

static void summarise(int64_t n, double difference[DIFFERENCES][MAX_FOLDS]) {
    static const char *const what[DIFFERENCES] = {"refined ELBO", "LNO amortised", "LNO refined"};
    for (int k = 0; k < DIFFERENCES && n > 1; k++) {
        double mean = 0, squares = 0;
        for (int64_t i = 0; i < n; i++)
            mean += difference[k][i] / (double)n;
        for (int64_t i = 0; i < n; i++)
            squares += (difference[k][i] - mean) * (difference[k][i] - mean);
        printf("%s, PfLDS - PLDS: %+.4f +- %.4f; ", what[k], mean,
               sqrt(squares / (double)(n - 1) / (double)n));
    }
    printf("\n");
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
    double difference[DIFFERENCES][MAX_FOLDS];
    snprintf(path, sizeof path, "%s_counts.npy", argv[1]);
    need(vdi_npy_load(path, NULL, &counts, &err));
    need(vdi_tensor_alloc(NULL, VDI_F64, 3, counts.shape, &y, &err));
    need(vdi_tensor_copy(y, counts, &err));
    const int64_t T = y.shape[1], n = y.shape[2];
    const int64_t folds = (int64_t)option("folds", 5), only = (int64_t)option("only", -1);
    const uint64_t seed = (uint64_t)atoi(argv[3]);
    const size_t bytes = (size_t)vdi_tensor_count(y) * sizeof(double);
    fold f = {{(double *)malloc(bytes), 0, T, n},
              {(double *)malloc(bytes), 0, T, n},
              (double *)malloc((size_t)n * sizeof(double)),
              (double *)malloc(bytes)};
    int64_t done = 0;
    if (!f.train.y || !f.held.y || !f.means || !f.log_p) return 1;
    for (int64_t i = 0; i < folds && i < MAX_FOLDS; i++) {
        plds_figures p;
        network_figures q;
        if (only >= 0 && only != i) continue;
        f.train.trials = choose(&y, i, folds, false, f.train.y);
        f.held.trials = choose(&y, i, folds, true, f.held.y);
        vdi_score_means(f.train.trials * T, n, f.train.y, f.means);
        vdi_plds *plds = fit_plds(&f.train, atoi(argv[2]), seed, &p.train);
        score_plds(&f, plds, &p);
        printf("fold %d: PLDS train %.4f held %.4f LNO %.4f", (int)i, p.train, p.held, p.lno);
        if (option("network", 1) == 0) {
            puts("");
            vdi_plds_destroy(plds);
            continue;
        }
        score_network(&f, atoi(argv[2]), plds, seed, &q);
        vdi_plds_destroy(plds);
        printf(" | PfLDS train %.4f held %.4f refined %.4f LNO %.4f refined %.4f\n", q.train,
               q.held, q.refined, q.lno, q.lno_refined);
        fflush(stdout);
        difference[0][done] = q.refined - p.held;
        difference[1][done] = q.lno - p.lno;
        difference[2][done] = q.lno_refined - p.lno;
        done++;
    }
    summarise(done, difference);
    free(f.train.y);
    free(f.held.y);
    free(f.means);
    free(f.log_p);
    vdi_tensor_free(NULL, &y);
    vdi_tensor_free(NULL, &counts);
    return 0;
}
