/* examples/vdi/vilds_recipe.c - how a model is trained where the command line does not say:
 * recipes, and which one the data ask for
 *
 * dense   many spikes, tuning of any shape: 16 starts of which the best by training bound goes on,
 *         fast rates
 * smooth  rates near log-linear in the latent: one start, gentler rates; a quarter of the time, and
 *         nothing is lost there
 * sparse  few spikes: 16 starts, gentle rates, a short schedule
 * plds    few spikes and few trials: begins with a Poisson LDS fitted by VB-EM, to whose read-out
 *         the network adds
 * linear  a read-out without hidden layers: 4 starts, a long schedule; where that is a Poisson LDS,
 *         plds, which finds its parameters by VB-EM and then trains the encoder alone
 *
 * `auto` asks the training data. Few spikes: sparse and plds are both trained without every fifth
 * trial, and scored there by the refined bound and by how well each neuron is predicted from the
 * others, both in nats per bin; the one with the higher sum is the one for all trials. A bound
 * alone can rise while the prediction of left-out neurons gets worse. Many spikes: a Poisson LDS,
 * whose read-out is log-linear, is set against a short run of the network: where the network is not
 * clearly better after 250 steps, the rates are near log-linear and one start will do; where it is,
 * it has folded the latent space somehow, many starts fold it wrongly, and only the best of several
 * can be trusted.
 */
#include "vilds.h"

enum { AUTO_EM = 20, AUTO_STEPS = 250, AUTO_HELD = 5, AUTO_TRIALS = 10, AUTO_REFINE = 8 };
enum { AUTO_CELLS = 200000 }; /* most values that are left out and predicted, one trial at least */
#define AUTO_SPARSE 0.15      /* mean count of a neuron and bin */
/* of the Poisson LDS's gain over constant rates, by which the network has to be better */
#define AUTO_GAIN 0.05

/* A Poisson LDS by VB-EM: its bound per bin on the data it learnt from. */
static int plds_bound(run *r, const observations *o, int64_t d, double *bound) {
    vdi_error err = {0};
    vdi_plds_desc desc = {0};
    vdi_plds_data_desc dd = {0};
    vdi_plds *plds = NULL;
    vdi_plds_data *data = NULL;
    double sum = 0, bins = 1;
    desc.d = d;
    desc.n = o->n;
    dd.y = o->y;
    dd.lengths = o->lengths;
    dd.pool = r->pool;
    dd.offset = o->offset;
    bool ok = vdi_plds_create(&desc, &plds, &err) == VDI_OK &&
              vdi_plds_data_create(plds, &dd, &data, &err) == VDI_OK &&
              vdi_plds_init(plds, data, r->seed, &err) >= 0;
    if (ok) bins = (double)vdi_plds_data_observed_bins(data);
    for (int i = 0; ok && i < AUTO_EM && !interrupted(); i++) {
        ok = vdi_plds_em_step(plds, data, &sum, &err) >= 0;
        progress(r, i + 1, AUTO_EM, "which recipe? A Poisson LDS: bound", sum / bins);
    }
    progress_end(r);
    *bound = sum / bins;
    vdi_plds_data_destroy(data);
    vdi_plds_destroy(plds);
    return ok ? DONE : fail_error(&err, o->file);
}

/* One start of the network: its bound per bin on the same data; and that of constant rates. */
static int network_bound(run *r, observations *o, const vdi_vilds_desc *desc, double *bound,
                         double *constant) {
    vdi_error err = {0};
    vilds_model model = {0};
    vdi_vilds_data *data = NULL;
    vdi_vilds_progress p;
    vdi_vilds_desc d = *desc;
    d.train.steps = AUTO_STEPS;
    d.train.restarts = 1;
    if (vdi_vilds_create(&d, &model.m, &err) < 0) return fail_error(&err, NULL);
    bool ok = vilds_data_make(&model, o, &data), said = !ok;
    for (int i = 0; ok && i < AUTO_STEPS && !interrupted(); i++) {
        ok = vdi_vilds_step(model.m, data, NULL, &p, &err) >= 0;
        if (ok) said = !(ok = vilds_memory_tell(r, &model, o, data));
        if (ok) progress(r, i + 1, AUTO_STEPS, "which recipe? One start: bound", p.elbo);
    }
    progress_end(r);
    ok = ok && vdi_vilds_score(model.m, data, NULL, bound, &err) == VDI_OK;
    if (ok) said = !(ok = vilds_homogeneous(&model, o, data, constant));
    vdi_vilds_data_destroy(data);
    vilds_model_free(&model);
    return ok ? DONE : said ? FAILED : fail_error(&err, o->file);
}

/* ---- a trial run of two recipes -------------------------------------------------------------- */

/* Every AUTO_HELD-th trial of an array (trials,..), or all others; what has no axis of trials as it
 * is. */
static bool trials_copy(vdi_tensor x, int64_t trials, bool held, vdi_tensor *out) {
    const bool by_trial = vdi_tensor_ok(x) && x.ndim == 3 && x.shape[0] == trials;
    int64_t shape[VDI_MAX_DIMS], at = 0;
    out->ndim = -1;
    if (!vdi_tensor_ok(x)) return true;
    memcpy(shape, x.shape, sizeof shape);
    if (by_trial) shape[0] = held ? trials / AUTO_HELD : trials - trials / AUTO_HELD;
    if (vdi_tensor_alloc(NULL, x.dtype, x.ndim, shape, out, NULL) < 0) return false;
    if (!by_trial) return vdi_tensor_copy(*out, x, NULL) >= 0;
    for (int64_t i = 0; i < trials; i++) {
        if ((i % AUTO_HELD == AUTO_HELD - 1) == held &&
            vdi_tensor_copy(vdi_tensor_index(*out, 0, at++), vdi_tensor_index(x, 0, i), NULL) < 0)
            return false;
    }
    return true;
}

static bool observations_part(const observations *o, bool held, observations *part) {
    int64_t at = 0;
    *part = *o;
    part->lengths = NULL;
    part->trials = held ? o->trials / AUTO_HELD : o->trials - o->trials / AUTO_HELD;
    part->y.ndim = part->u.ndim = part->offset.ndim = -1;
    bool ok = trials_copy(o->y, o->trials, held, &part->y) &&
              trials_copy(o->u, o->trials, held, &part->u) &&
              trials_copy(o->offset, o->trials, held, &part->offset);
    if (ok && o->lengths) {
        part->lengths = (int64_t *)malloc((size_t)o->trials * sizeof *part->lengths);
        ok = part->lengths != NULL;
        for (int64_t i = 0; ok && i < o->trials; i++)
            if ((i % AUTO_HELD == AUTO_HELD - 1) == held) part->lengths[at++] = o->lengths[i];
    }
    return ok || fail("no memory for a part of %s", o->file) == DONE;
}

static void given_take(const run *r, const vilds_fit_options *want, vdi_vilds_desc *d);

/* What a recipe reaches on trials that it does not see, in nats per bin: their refined bound, and
 * log p of each neuron given the others, summed over neurons. */
typedef struct trial_scores {
    double bound, left_out;
} trial_scores;

/* The first trials of `o`, as many as have at most AUTO_CELLS values. */
static observations first_trials(const observations *o) {
    observations some = *o;
    const int64_t fit = AUTO_CELLS / (o->T * o->n);
    some.trials = fit < 1 ? 1 : fit < o->trials ? fit : o->trials;
    vdi_tensor *by_trial[] = {&some.y, &some.u, &some.offset};
    for (int i = 0; i < (int)VDI__COUNT(by_trial); i++) {
        if (vdi_tensor_ok(*by_trial[i]) && by_trial[i]->ndim == 3 &&
            by_trial[i]->shape[0] == o->trials)
            *by_trial[i] = vdi_tensor_slice(*by_trial[i], 0, 0, 1, some.trials);
    }
    return some;
}

/* log p of each value given the other neurons of its trial, summed over neurons, per bin. */
static int left_out_score(vilds_model *model, const observations *held, double *per_bin) {
    vdi_error err = {0};
    vdi_vilds_data *data = NULL;
    vdi_vilds_query q = {0};
    observations some = first_trials(held);
    if (!vilds_data_make(model, &some, &data)) return FAILED;
    const int64_t d = vdi_vilds_description(model->m)->d, cells = some.trials * some.T * some.n;
    double *log_p = doubles(cells);
    q.nodes = d <= 3 ? 5 : d == 4 ? 3 : 2;
    const vdi_status status =
        vdi_vilds_predict(model->m, data, VDI_VILDS_LEAVE_ONE_OUT, &q, log_p, NULL, &err);
    *per_bin = vdi_sum(VDI_F64, (size_t)cells, log_p) / (double)vdi_vilds_data_total_bins(data);
    free(log_p);
    vdi_vilds_data_destroy(data);
    return status < 0 ? fail_error(&err, held->file) : DONE;
}

static int recipe_try(run *r, const vilds_fit_options *want, observations *train,
                      observations *held, const vdi_vilds_desc *desc, vdi_flds_kind kind,
                      trial_scores *scores) {
    vdi_error err = {0};
    vilds_model model = {0};
    vdi_vilds_data *data = NULL, *unseen = NULL;
    vdi_vilds_query q = {0};
    vdi_vilds_progress p;
    vdi_vilds_desc d = vdi_flds_recipe(desc, kind);
    vdi_status status = VDI_OK;
    given_take(r, want, &d);
    if (vdi_vilds_create(&d, &model.m, &err) < 0) return fail_error(&err, NULL);
    int code = vilds_data_make(&model, train, &data) && vilds_data_make(&model, held, &unseen)
                   ? DONE
                   : FAILED;
    if (code == DONE && kind == VDI_FLDS_FROM_PLDS)
        code = vilds_start_from_plds(r, want->em, train, model.m, data);
    if (code == DONE) {
        for (int64_t i = 1;
             !interrupted() && (status = vdi_vilds_step(model.m, data, NULL, &p, &err)) == VDI_OK;
             i++) {
            progress(r, i, p.steps,
                     kind == VDI_FLDS_FROM_PLDS ? "which recipe? plds: bound"
                                                : "which recipe? sparse: bound",
                     p.elbo);
        }
        progress_end(r);
        q.refine = AUTO_REFINE;
        if (!interrupted() &&
            (status < 0 || vdi_vilds_score(model.m, unseen, &q, &scores->bound, &err) < 0))
            code = fail_error(&err, train->file);
        if (code == DONE && !interrupted()) code = left_out_score(&model, held, &scores->left_out);
    }
    vdi_vilds_data_destroy(data);
    vdi_vilds_data_destroy(unseen);
    vilds_model_free(&model);
    return code;
}

/* Few spikes: sparse or plds, by the trials that neither has seen. */
static int recipe_by_trials(run *r, const vilds_fit_options *want, const observations *o,
                            const vdi_vilds_desc *desc, const char **out) {
    observations train, held;
    trial_scores sparse = {0}, plds = {0};
    int code = FAILED;
    bool ok = observations_part(o, false, &train);
    ok = observations_part(o, true, &held) && ok;
    if (ok) code = recipe_try(r, want, &train, &held, desc, VDI_FLDS_SPARSE, &sparse);
    if (code == DONE && !interrupted())
        code = recipe_try(r, want, &train, &held, desc, VDI_FLDS_FROM_PLDS, &plds);
    observations_free(&train);
    observations_free(&held);
    if (code != DONE) return code;
    if (interrupted()) return INTERRUPTED;
    *out = plds.bound + plds.left_out > sparse.bound + sparse.left_out ? "plds" : "sparse";
    if (!r->quiet) {
        fprintf(stderr,
                "recipe %s: on every fifth trial, which was left out for this, a refined bound of "
                "%.4f nats per bin by sparse, %.4f by plds; neurons from the others %.4f, %.4f\n",
                *out, sparse.bound, plds.bound, sparse.left_out, plds.left_out);
    }
    return DONE;
}

/* The name of the recipe that the data ask for: DONE, or an exit code. */
static int recipe_choose(run *r, const vilds_fit_options *want, observations *o,
                         const vdi_vilds_desc *desc, const char **out) {
    const double *y = (const double *)o->y.data;
    double sum = 0;
    double seen = 0;
    double mean;
    double plds = 0;
    double network = 0;
    double constant = 0;
    for (int64_t b = 0; b < o->trials; b++) {
        for (int64_t i = 0; i < (o->lengths ? o->lengths[b] : o->T) * o->n && i < o->T * o->n;
             i++) {
            double v = y[b * o->T * o->n + i];
            if (v == v) {
                sum += v;
                seen += 1;
            }
        }
    }
    mean = sum / seen;
    *out = vdi_flds_is_plds(desc)                                 ? "plds"
           : desc->linear                                         ? "linear"
           : !vdi_vilds_obs_counts((int)desc->obs) || !(seen > 0) ? "dense"
           : mean < AUTO_SPARSE                                   ? "sparse"
                                                                  : NULL;
    if (*out && strcmp(*out, "sparse") == 0 && vdi_flds_takes_plds(desc) &&
        o->trials >= AUTO_TRIALS)
        return recipe_by_trials(r, want, o, desc, out);
    if (*out) {
        if (!r->quiet && !desc->linear && vdi_vilds_obs_counts((int)desc->obs))
            fprintf(stderr, "recipe %s: %.3g spikes a neuron and bin\n", *out, mean);
        return DONE;
    }
    vdi_vilds_desc dense = vdi_flds_recipe(desc, VDI_FLDS_DENSE);
    int code = network_bound(r, o, &dense, &network, &constant);
    if (code == DONE && !interrupted()) code = plds_bound(r, o, desc->d, &plds);
    if (code != DONE) return code;
    if (interrupted()) return INTERRUPTED;
    *out = network > plds + AUTO_GAIN * fmax(plds - constant, 0) ? "dense" : "smooth";
    if (!r->quiet) {
        fprintf(stderr,
                "recipe %s: %.4f nats per bin with constant rates, %.4f by a Poisson LDS, %.4f by "
                "a network of %d steps\n",
                *out, constant, plds, network, AUTO_STEPS);
    }
    return DONE;
}

/* ---- the recipes ----------------------------------------------------------------------------- */

const vdi_fields *vilds_recipe_fields(void) {
    enum { MOST = 32 };
    static const char *words[MOST + 2] = {"auto"};
    static vdi_field row = VDI_FIELD_ENUM(vilds_fit_options, recipe, words,
                                          "how it is trained; auto chooses by the data");
    static const vdi_fields table = {"recipe", &row, 1};
    for (int i = 0; i < vdi_flds_recipe_count() && i < MOST; i++)
        words[i + 1] = vdi_flds_recipe_name(i);
    return &table;
}

const char *const vilds_start_words[] = {"auto", "yes", "no", NULL};

/* What the command line says, over a recipe: zeros that were meant too. */
static void given_take(const run *r, const vilds_fit_options *want, vdi_vilds_desc *d) {
    options_overlay(r, vdi_vilds_desc_fields, &want->model, d);
    if (option_given(r, "open") >= IN_FILE)
        d->train.open_to = d->train.open_from > 0 ? d->train.open_from + 0.1 : 1e-9;
    if (option_given(r, "mask-rate") >= IN_FILE && d->train.mask_rate == 0)
        d->train.no_masking = true;
    if (want->free_start != START_AUTO) d->free_start = want->free_start == START_FREE;
}

/* A description that is no good, or data, before anything is made of them. */
static int data_check(const vdi_vilds_desc *desc, observations *o) {
    vilds_model model = {0};
    vdi_vilds_data *data = NULL;
    vdi_error err = {0};
    if (vdi_vilds_create(desc, &model.m, &err) < 0) return fail_error(&err, NULL);
    const bool good = vilds_data_make(&model, o, &data);
    vdi_vilds_data_destroy(data);
    vilds_model_free(&model);
    return good ? DONE : FAILED;
}

int vilds_recipe_apply(run *r, vilds_fit_options *want, observations *o, vdi_vilds_desc *desc) {
    vdi_error err = {0};
    int code;
    given_take(r, want, desc);
    if (desc->train.window == 0 && o->T * (o->trials < 20 ? o->trials : 20) > 8000) {
        /* long recordings: a step stays a step */
        int64_t trials = o->trials < 20 ? o->trials : 20;
        desc->train.window = 8000 / trials > 50 ? 8000 / trials : 50;
    }
    if ((code = data_check(desc, o)) != DONE) return code;
    if (want->recipe == 0) {
        const char *name;
        if ((code = recipe_choose(r, want, o, desc, &name)) != DONE) return code;
        want->recipe = 1 + vdi_flds_recipe_find(name);
    }
    *desc = vdi_flds_recipe(desc, (vdi_flds_kind)(want->recipe - 1));
    given_take(r, want, desc);
    if (vdi_vilds_desc_check(desc, &err) < 0) return fail_error(&err, NULL);
    want->model = *desc;
    want->free_start = desc->free_start ? START_FREE : START_FIXED;
    return DONE;
}
