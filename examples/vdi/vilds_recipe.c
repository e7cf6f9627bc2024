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
 * linear  a read-out without hidden layers: 4 starts, a long schedule
 *
 * `auto` asks the training data. Few spikes: sparse and plds are both trained without every fifth
 * trial, and the one whose refined bound on those is higher is the one for all trials; how much a
 * network finds in so little data is a matter of the recording. Many spikes: a Poisson LDS, whose
 * read-out is log-linear, is set against a short run of the network: where the network is not
 * clearly better after 250 steps, the rates are near log-linear and one start will do; where it is,
 * it has folded the latent space somehow, many starts fold it wrongly, and only the best of several
 * can be trusted.
 */
#include "vilds.h"

enum { AUTO_EM = 20, AUTO_STEPS = 250, AUTO_HELD = 5, AUTO_TRIALS = 10, AUTO_REFINE = 8 };
#define AUTO_SPARSE 0.15 /* mean count of a neuron and bin */
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
              vdi_plds_init(plds, data, (uint64_t)option_int(r, "seed"), &err) >= 0;
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
    bool ok = vilds_data_make(&model, o, &data), told = !ok;
    for (int i = 0; ok && i < AUTO_STEPS && !interrupted(); i++) {
        ok = vdi_vilds_step(model.m, data, NULL, &p, &err) >= 0;
        if (ok) progress(r, i + 1, AUTO_STEPS, "which recipe? One start: bound", p.elbo);
    }
    progress_end(r);
    ok = ok && vdi_vilds_score(model.m, data, NULL, bound, &err) == VDI_OK;
    if (ok) *constant = vilds_homogeneous(&model, o, (double)vdi_vilds_data_total_bins(data));
    vdi_vilds_data_destroy(data);
    vilds_model_free(&model);
    return ok ? DONE : told ? FAILED : fail_error(&err, o->file);
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

static void fields_take(const run *r, vdi_vilds_desc *d);

/* What a recipe reaches on trials that it does not see: their refined bound per bin. */
static int recipe_try(run *r, observations *train, observations *held, const vdi_vilds_desc *desc,
                      vdi_flds_kind kind, double *bound) {
    vdi_error err = {0};
    vilds_model model = {0};
    vdi_vilds_data *data = NULL, *unseen = NULL;
    vdi_vilds_query q = {0};
    vdi_vilds_progress p;
    vdi_vilds_desc d = vdi_flds_recipe(desc, kind);
    vdi_status status = VDI_OK;
    fields_take(r, &d);
    if (vdi_vilds_create(&d, &model.m, &err) < 0) return fail_error(&err, NULL);
    int code = vilds_data_make(&model, train, &data) && vilds_data_make(&model, held, &unseen)
                   ? DONE
                   : FAILED;
    if (code == DONE && kind == VDI_FLDS_FROM_PLDS)
        code = vilds_start_from_plds(r, train, model.m, data);
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
        if (!interrupted() && (status < 0 || vdi_vilds_score(model.m, unseen, &q, bound, &err) < 0))
            code = fail_error(&err, train->file);
    }
    vdi_vilds_data_destroy(data);
    vdi_vilds_data_destroy(unseen);
    vilds_model_free(&model);
    return code;
}

/* Few spikes: sparse or plds, by the trials that neither has seen. */
static int recipe_by_trials(run *r, const observations *o, const vdi_vilds_desc *desc,
                            const char **out) {
    observations train, held;
    double sparse = 0, plds = 0;
    int code = FAILED;
    bool ok = observations_part(o, false, &train);
    ok = observations_part(o, true, &held) && ok;
    if (ok) code = recipe_try(r, &train, &held, desc, VDI_FLDS_SPARSE, &sparse);
    if (code == DONE && !interrupted())
        code = recipe_try(r, &train, &held, desc, VDI_FLDS_FROM_PLDS, &plds);
    observations_free(&train);
    observations_free(&held);
    if (code != DONE) return code;
    if (interrupted()) return INTERRUPTED;
    *out = plds > sparse ? "plds" : "sparse";
    if (!r->quiet) {
        fprintf(stderr,
                "recipe %s: on every fifth trial, which was left out for this, a refined bound of "
                "%.4f nats per bin by sparse, %.4f by plds\n",
                *out, sparse, plds);
    }
    return DONE;
}

/* The name of the recipe that the data ask for: DONE, or an exit code. */
static int recipe_choose(run *r, observations *o, const vdi_vilds_desc *desc, const char **out) {
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
    *out = desc->linear                                     ? "linear"
           : desc->obs == VDI_VILDS_GAUSSIAN || !(seen > 0) ? "dense"
           : mean < AUTO_SPARSE                             ? "sparse"
                                                            : NULL;
    /* a Poisson LDS can be the start of counts with exp link, and of generalised counts */
    bool counts = desc->obs == VDI_VILDS_COUNT ||
                  (desc->link == VDI_VILDS_EXP &&
                   (desc->obs == VDI_VILDS_POISSON || desc->obs == VDI_VILDS_NEGBIN));
    if (*out && strcmp(*out, "sparse") == 0 && counts && o->trials >= AUTO_TRIALS)
        return recipe_by_trials(r, o, desc, out);
    if (*out) {
        if (!r->quiet && !desc->linear && desc->obs != VDI_VILDS_GAUSSIAN)
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

/* ---- options over recipes -------------------------------------------------------------------- */

enum { FIELDS = 14 };
typedef struct field {
    const char *name;
    int64_t *whole; /* one of the two */
    double *real;
} field;

static void fields_of(vdi_vilds_desc *d, field f[FIELDS]) {
    vdi_vilds_train *t = &d->train;
    const field all[FIELDS] = {
        {"steps", &t->steps, NULL},
        {"batch", &t->batch, NULL},
        {"window", &t->window, NULL},
        {"samples", &t->samples, NULL},
        {"restarts", &t->restarts, NULL},
        {"restart-steps", &t->restart_steps, NULL},
        {"eval-every", &t->eval_every, NULL},
        {"patience", &t->patience, NULL},
        {"rate", NULL, &t->rate},
        {"mask-rate", NULL, &t->mask_rate},
        {"weight-decay", NULL, &t->weight_decay},
        {"open", NULL, &t->open_from},
        {"a0", NULL, &d->a0},
        {"scale", NULL, &d->first_scale},
    };
    memcpy(f, all, sizeof all);
}

/* What the command line says. Run before the recipe, which fills in what is still zero, and after
 * it, for zeros that were meant. */
static void fields_take(const run *r, vdi_vilds_desc *d) {
    field f[FIELDS];
    fields_of(d, f);
    for (int i = 0; i < FIELDS; i++) {
        if (!option_text(r, f[i].name)) continue;
        if (f[i].whole)
            *f[i].whole = option_int(r, f[i].name);
        else
            *f[i].real = option_real(r, f[i].name);
    }
    if (option_text(r, "open"))
        d->train.open_to = d->train.open_from > 0 ? d->train.open_from + 0.1 : 1e-9;
    if (option_text(r, "mask-rate") && d->train.mask_rate == 0) d->train.no_masking = true;
    if (option_text(r, "free-start"))
        d->free_start = strcmp(option_text(r, "free-start"), "yes") == 0;
}

int vilds_recipe_apply(run *r, observations *o, vdi_vilds_desc *desc) {
    /* as vdi_flds_kind, and one of ours */
    static const char *const names[] = {"dense", "sparse", "smooth", "plds", "linear"};
    vdi_error err = {0};
    const char *recipe = option_text(r, "recipe"), *start = option_text(r, "free-start");
    int kind = -1, code;
    if (start && strcmp(start, "yes") != 0 && strcmp(start, "no") != 0)
        return usage("--free-start: expected yes or no, got '%s'", start);
    fields_take(r, desc);
    if (desc->train.window == 0 && o->T * (o->trials < 20 ? o->trials : 20) > 8000) {
        /* long recordings: a step stays a step */
        int64_t trials = o->trials < 20 ? o->trials : 20;
        desc->train.window = 8000 / trials > 50 ? 8000 / trials : 50;
    }
    /* a description that is no good, or data, before anything is made of them */
    vilds_model model = {0};
    vdi_vilds_data *data = NULL;
    if (vdi_vilds_create(desc, &model.m, &err) < 0) return fail_error(&err, NULL);
    bool good = vilds_data_make(&model, o, &data);
    vdi_vilds_data_destroy(data);
    vilds_model_free(&model);
    if (!good) return FAILED;
    if (strcmp(recipe, "auto") == 0 && (code = recipe_choose(r, o, desc, &recipe)) != DONE)
        return code;
    for (int i = 0; i < 5; i++)
        if (strcmp(recipe, names[i]) == 0) kind = i;
    if (kind < 0) {
        return usage("--recipe: expected auto, dense, sparse, smooth, plds or linear, got '%s'",
                     recipe);
    }
    if (kind == 4) {
        desc->free_start = true;
        if (desc->a0 == 0) desc->a0 = 0.95;
        if (desc->train.steps == 0) desc->train.steps = 3000;
        if (desc->train.restarts == 0) desc->train.restarts = 4;
        *desc = vdi_vilds_desc_defaults(desc);
    } else {
        *desc = vdi_flds_recipe(desc, (vdi_flds_kind)kind);
    }
    fields_take(r, desc);
    if (vdi_vilds_desc_check(desc, &err) < 0) return fail_error(&err, NULL);
    /* what it came to */
    field f[FIELDS];
    fields_of(desc, f);
    option_resolve(r, "recipe", "%s", recipe);
    option_resolve(r, "free-start", "%s", desc->free_start ? "yes" : "no");
    for (int i = 0; i < FIELDS; i++) {
        char text[VDI_TEXT_NUMBER];
        if (f[i].whole) {
            option_resolve(r, f[i].name, "%lld", (long long)*f[i].whole);
        } else {
            (void)vdi_text_double(text, *f[i].real, 0);
            option_resolve(r, f[i].name, "%s", text);
        }
    }
    return DONE;
}
