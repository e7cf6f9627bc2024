/* examples/vdi/cv.c - vdi lds cv, plds cv, flds cv: how many latents, by cross-validation
 *
 * A job is one latent dimension and one fold: trials i with i % folds == fold are held out. Each
 * job leaves a file of its own, so that a run can be interrupted, resumed, split with --shard and
 * put together with vdi merge.
 */
#include "cv.h"

enum { MOST_DIMS = 64, MOST_JOBS = MOST_DIMS * 64 };

/* ---- the files of jobs ----------------------------------------------------------------------- */

static void job_name(int64_t d, int64_t fold, char *name, size_t size) {
    snprintf(name, size, "job-d%lld-fold%lld", (long long)d, (long long)fold);
}

/* All jobs in a folder, appended to `jobs` (MOST_JOBS,JOB_COLUMNS); how many there are then, or
 * -1. */
static int64_t jobs_load(const char *folder, double *jobs, int64_t count) {
    folder_reader *files = folder_open(folder);
    const char *file;
    if (!files) {
        (void)fail("expected the folder of a cross-validation, got %s", folder);
        return -1;
    }
    while (count >= 0 && (file = folder_next(files)) != NULL) {
        const size_t length = strlen(file);
        vdi_tensor t;
        if (strncmp(file, "job-d", 5) != 0 || length < 9 || length > 60 ||
            strcmp(file + length - 4, ".npy") != 0)
            continue;
        char name[64];
        memcpy(name, file, length - 4);
        name[length - 4] = 0;
        if (!array_load_in(folder, name, false, &t)) {
            count = -1;
        } else if (vdi_tensor_count(t) != JOB_COLUMNS || count == MOST_JOBS) {
            (void)fail("expected a job of %d numbers, and %d of them at most, in %s/%s",
                       (int)JOB_COLUMNS, (int)MOST_JOBS, folder, file);
            count = -1;
        } else {
            memcpy(jobs + count++ * JOB_COLUMNS, t.data, JOB_COLUMNS * sizeof *jobs);
        }
        if (vdi_tensor_ok(t)) vdi_tensor_free(NULL, &t);
    }
    folder_close(files);
    return count;
}

static int by_dimension(const void *a, const void *b) {
    const double *x = (const double *)a, *y = (const double *)b;
    for (int i = JOB_D; i <= JOB_FOLD; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* ---- the curve ------------------------------------------------------------------------------- */

/* Mean and standard error over the folds of each dimension. */
typedef struct curve {
    int64_t count;
    double d[MOST_DIMS], mean[MOST_DIMS], error[MOST_DIMS], lno[MOST_DIMS], lno_error[MOST_DIMS];
} curve;

/* Of `folds` jobs, column `column`. */
static void fold_mean(const double *jobs, int64_t folds, int column, double *mean, double *error) {
    double sum = 0, square = 0;
    for (int64_t i = 0; i < folds; i++)
        sum += jobs[i * JOB_COLUMNS + column];
    *mean = sum / (double)folds;
    for (int64_t i = 0; i < folds; i++) {
        const double e = jobs[i * JOB_COLUMNS + column] - *mean;
        square += e * e;
    }
    *error = folds > 1 ? sqrt(square / (double)(folds - 1) / (double)folds) : (double)NAN;
}

static void curve_of(double *jobs, int64_t count, curve *c) {
    c->count = 0;
    qsort(jobs, (size_t)count, JOB_COLUMNS * sizeof *jobs, by_dimension);
    for (int64_t at = 0, folds; at < count && c->count < MOST_DIMS; at += folds) {
        const double *first = jobs + at * JOB_COLUMNS;
        const int64_t k = c->count++;
        for (folds = 1; at + folds < count && first[folds * JOB_COLUMNS] == first[0];)
            folds++;
        c->d[k] = first[JOB_D];
        fold_mean(first, folds, JOB_SCORE, &c->mean[k], &c->error[k]);
        fold_mean(first, folds, JOB_LNO, &c->lno[k], &c->lno_error[k]);
    }
}

static bool curve_draw(const char *path, curve *c, bool lno, vdi_error *err) {
    double low[2][MOST_DIMS], high[2][MOST_DIMS]; /* of each panel: they last until it is drawn */
    vdi_figure_desc desc = {0};
    vdi_figure f;
    desc.rows = 1 + lno;
    desc.cols = 1;
    desc.height = 200;
    desc.title = "Held-out trials, mean over folds with a standard error";
    vdi_figure_init(&f, &desc);
    for (int row = 0; row <= (int)lno; row++) {
        double *mean = row ? c->lno : c->mean, *error = row ? c->lno_error : c->error;
        vdi_panel *p = vdi_figure_panel(&f, row, 0);
        p->y.label = row ? "bits per spike, others given" : "nats per bin";
        p->x.label = "latent dimension";
        for (int64_t k = 0; k < c->count; k++) {
            const double e = error[k] == error[k] ? error[k] : 0;
            low[row][k] = mean[k] - e;
            high[row][k] = mean[k] + e;
        }
        vdi_series *band = vdi_panel_band(p, NULL, vdi_tensor_1d(low[row], VDI_F64, c->count),
                                          vdi_tensor_1d(high[row], VDI_F64, c->count));
        vdi_series *line = vdi_panel_line(p, NULL, vdi_tensor_1d(mean, VDI_F64, c->count));
        band->x = line->x = vdi_tensor_1d(c->d, VDI_F64, c->count);
        band->color = line->color = VDI_COLOR_BLUE;
    }
    const bool ok = save_svg(path, &f, err);
    vdi_figure_free(&f);
    return ok;
}

/* cv.csv, cv.svg and what is told, from all jobs. */
static bool curve_leave(const run *r, double *jobs, int64_t count) {
    static char names[3 * MOST_DIMS][32];
    const char *keys[3 * MOST_DIMS + 3];
    double values[3 * MOST_DIMS + 3];
    curve c;
    vdi_error err = {0};
    int results = 0, best = 0;
    curve_of(jobs, count, &c);
    if (c.count == 0) return true;
    const bool lno = c.lno[0] == c.lno[0];
    vdi_named_tensor columns[JOB_COLUMNS];
    static const char *const column[] = {"d", "fold", "per_bin", "lno_bits_per_spike", "bins"};
    vdi_tensor all = vdi_tensor_2d(jobs, VDI_F64, count, JOB_COLUMNS);
    for (int i = 0; i < JOB_COLUMNS; i++) {
        columns[i].name = column[i];
        columns[i].tensor = vdi_tensor_index(all, 1, i);
    }
    char *path = path_join(r->out, "cv.svg");
    bool ok = save_csv(r, "cv.csv", columns, JOB_COLUMNS);
    if (ok && !curve_draw(path, &c, lno, &err)) {
        (void)fail_error(&err, path);
        ok = false;
    }
    free(path);
    for (int64_t k = 0; k < c.count; k++) {
        const double shown[] = {c.mean[k], c.error[k], c.lno[k]};
        static const char *const of[] = {"per_bin", "per_bin_error", "lno_bits_per_spike"};
        for (int i = 0; i < 2 + lno; i++, results++) {
            snprintf(names[results], sizeof names[results], "d%g_%s", c.d[k], of[i]);
            keys[results] = names[results];
            values[results] = shown[i];
        }
        if (c.mean[k] > c.mean[best]) best = (int)k;
    }
    keys[results] = "best_d";
    values[results++] = c.d[best];
    keys[results] = "jobs";
    values[results++] = (double)count;
    if (ok) print_results(r, keys, values, results);
    return ok;
}

/* ---- trials of a fold ------------------------------------------------------------------------ */

/* The trials with (i % folds == fold) == held, as observations of their own. */
static void part_of(const observations *o, int64_t folds, int64_t fold, bool held,
                    observations *to) {
    const size_t y = (size_t)(o->T * o->n), u = (size_t)(o->T * o->inputs);
    memset(to, 0, sizeof *to);
    for (int64_t i = 0; i < o->trials; i++)
        to->trials += (i % folds == fold) == held;
    to->file = o->file;
    to->T = o->T;
    to->n = o->n;
    to->inputs = o->inputs;
    to->u.ndim = to->offset.ndim = -1;
    double *ys = doubles(to->trials * (int64_t)y), *us = doubles(to->trials * (int64_t)u);
    if (o->lengths) {
        to->lengths = (int64_t *)malloc((size_t)(to->trials + 1) * sizeof *to->lengths);
        if (!to->lengths) exit(fail("out of memory"));
    }
    for (int64_t i = 0, at = 0; i < o->trials; i++) {
        if ((i % folds == fold) != held) continue;
        memcpy(ys + (size_t)at * y, (const double *)o->y.data + (size_t)i * y, y * sizeof *ys);
        if (u > 0)
            memcpy(us + (size_t)at * u, (const double *)o->u.data + (size_t)i * u, u * sizeof *us);
        for (int64_t k = o->lengths ? o->lengths[i] * o->n : o->T * o->n; k < o->T * o->n; k++)
            ys[at * o->T * o->n + k] = (double)NAN; /* scores leave NaN out */
        if (o->lengths) to->lengths[at] = o->lengths[i];
        at++;
    }
    to->y = vdi_tensor_3d(ys, VDI_F64, to->trials, to->T, to->n);
    if (u > 0)
        to->u = vdi_tensor_3d(us, VDI_F64, to->trials, to->T, to->inputs);
    else
        free(us);
}

static void part_free(observations *o) {
    free(o->y.data);
    if (vdi_tensor_ok(o->u)) free(o->u.data);
    free(o->lengths);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* A family that can be cross-validated. */
typedef struct cv_family {
    const char *name;
    cv_job_fn *work;
} cv_family;
static const cv_family families[] = {
    {"lds", cv_lds_job}, {"plds", cv_plds_job}, {"flds", cv_flds_job}};

static cv_job_fn *family_work(const char *name) {
    for (size_t i = 0; i < VDI__COUNT(families); i++)
        if (strcmp(families[i].name, name) == 0) return families[i].work;
    return NULL;
}

/* One job, unless its file is there already; FAILED, INTERRUPTED or DONE. */
static int job_run(run *r, const cv_options *want, const observations *o, int64_t d, int64_t fold) {
    const int64_t shape = JOB_COLUMNS;
    char name[64], file[72];
    double job[JOB_COLUMNS] = {(double)d, (double)fold, 0, (double)NAN, 0};
    observations train, test;
    job_name(d, fold, name, sizeof name);
    snprintf(file, sizeof file, "%s.npy", name);
    char *path = path_join(r->out, file);
    const bool there = want->resume && file_exists(path);
    free(path);
    if (there) return DONE;
    part_of(o, want->folds, fold, false, &train);
    part_of(o, want->folds, fold, true, &test);
    const bool ok = family_work(r->command->family)(r, want, d, &train, &test, job);
    part_free(&train);
    part_free(&test);
    if (!ok) return FAILED;
    if (interrupted()) return INTERRUPTED;
    return array_save(r, name, 1, &shape, job) ? DONE : FAILED;
}

static int cv_main(run *r, void *options) {
    const cv_options *want = (const cv_options *)options;
    observations o;
    double dims[MOST_DIMS];
    int64_t shard, shards, done = 0;
    int code = DONE;
    const int count = want->dims ? numbers_read(want->dims, dims, MOST_DIMS) : 0;
    if (count < 1) return usage("expected -d, latent dimensions with commas between, as 1,2,3");
    for (int k = 0; k < count; k++) {
        if (!(dims[k] >= 1 && dims[k] <= 64) || dims[k] != floor(dims[k]))
            return usage("-d: expected whole numbers from 1 to 64, got %g", dims[k]);
    }
    if (!shard_read(want->shard, &shard, &shards)) return USAGE;
    if (!observations_load(r->argument[0], &want->y, &o)) return FAILED;
    if (o.trials < want->folds) {
        return fail("expected at least %lld trials for as many folds, got %lld, in %s",
                    (long long)want->folds, (long long)o.trials, o.file);
    }
    if (!run_open_out(r)) return FAILED;
    const int64_t jobs = count * want->folds;
    for (int64_t j = 0; code == DONE && j < jobs; j++) {
        if (j % shards != shard - 1) continue;
        if (interrupted()) code = INTERRUPTED;
        if (code == DONE)
            code = job_run(r, want, &o, (int64_t)dims[j / want->folds], j % want->folds);
        progress(r, ++done, (jobs + shards - shard) / shards, "latents", dims[j / want->folds]);
    }
    progress_end(r);
    observations_free(&o);
    if (code == INTERRUPTED) {
        fprintf(stderr, "vdi: interrupted; go on with: vdi %s cv --resume %s\n", r->command->family,
                r->out);
    }
    if (code != DONE) return code;
    double *all = doubles(MOST_JOBS * JOB_COLUMNS);
    const int64_t found = jobs_load(r->out, all, 0);
    const bool ok = found >= 0 && curve_leave(r, all, found);
    free(all);
    return ok ? DONE : FAILED;
}

int cv_merge(run *r) {
    double *all = doubles(MOST_JOBS * JOB_COLUMNS);
    int64_t count = 0;
    for (int i = 0; count >= 0 && i < r->arguments; i++)
        count = jobs_load(r->argument[i], all, count);
    const bool ok = count >= 0 && run_open_out(r) && curve_leave(r, all, count);
    free(all);
    return ok ? DONE : FAILED;
}

/* ---- the commands ---------------------------------------------------------------------------- */

#define CV_SPLIT_OPTIONS                                                                           \
    {.name = "d",                                                                                  \
     .also = "dims",                                                                               \
     .value = "D,D,...",                                                                           \
     .help = "latent dimensions, with commas between",                                             \
     .offset = offsetof(cv_options, dims)},                                                        \
        OPTION(                                                                                    \
            "folds", "K",                                                                          \
            VDI_FIELD_INT(cv_options, folds, 5, 2, 64, "trial i is held out in fold i modulo K")), \
        OPTION_TEXT(cv_options, shard, "shard", "I/N", NULL,                                       \
                    "do every Nth job from the Ith on; put together with vdi merge"),              \
        OPTION_TEXT(cv_options, resume, "resume", "RUN", NULL, "go on with an interrupted run")
#define CV_ITERS(initial) \
    OPTION("iters", "N",  \
           VDI_FIELD_INT(cv_options, iters, initial, 0, 100000000, "iterations of EM"))
#define CV_WRITES \
    "Writes a file for each fold and dimension, cv.csv, and cv.svg with standard errors."

static const option lds_rows[] = {
    CV_SPLIT_OPTIONS,
    CV_ITERS(100),
    OPTION("diagonal-r", NULL,
           VDI_FIELD_BOOL(cv_options, diagonal_r, "R diagonal instead of full")),
    OBSERVATION_OPTIONS(cv_options, y, ""),
};
const command lds_cv_command = {
    .family = "lds",
    .verb = "cv",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .out = true,
    .summary = "How many latents? Fits on all folds but one, for each, and tells the log "
               "likelihood per bin of the trials held out. " CV_WRITES,
    .example = "vdi lds cv y.npy -d 1,2,3,4 --folds 5 --out cv",
    COMMAND_OPTIONS(lds_rows),
    .size = sizeof(cv_options),
    .main = cv_main,
};

static const option plds_rows[] = {
    CV_SPLIT_OPTIONS,
    CV_ITERS(40),
    OPTION_TEXT(cv_options, y.lengths, "lengths", "LENGTHS.npy", NULL,
                "bins of each trial that count (trials,); all without it"),
};
const command plds_cv_command = {
    .family = "plds",
    .verb = "cv",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .out = true,
    .summary = "How many latents? Fits on all folds but one, for each, and tells the bound per bin "
               "of the trials held out, and the bits per spike of each neuron given the "
               "others. " CV_WRITES,
    .example = "vdi plds cv counts.npy -d 1,2,3,4 --folds 5 --out cv",
    COMMAND_OPTIONS(plds_rows),
    .size = sizeof(cv_options),
    .main = cv_main,
};

#define FLDS_OPTION(name_, value_, initial_, member_) \
    OPTION_OF(name_, value_, initial_, cv_options, fit.model, vdi_vilds_desc_fields, member_)
static const option flds_rows[] = {
    CV_SPLIT_OPTIONS,
    OPTION_GROUP("the model"),
    FLDS_OPTION("obs", "NAME", NULL, "obs"),
    FLDS_OPTION("hidden", "SIZES", NULL, "hidden"),
    FLDS_OPTION("link", "NAME", NULL, "link"),
    OPTION_GROUP("training, where auto is the recipe's"),
    {.name = "recipe",
     .value = "NAME",
     .table = vilds_recipe_fields,
     .member = "recipe",
     .offset = offsetof(cv_options, fit)},
    OPTION("em", "N",
           VDI_FIELD_INT(cv_options, fit.em, 100, 0, 1000000,
                         "iterations of VB-EM for each of the four starts of the Poisson LDS that "
                         "--recipe plds begins with")),
    FLDS_OPTION("steps", "N", "auto", "train.steps"),
    FLDS_OPTION("restarts", "N", "auto", "train.restarts"),
    FLDS_OPTION("rate", "X", "auto", "train.rate"),
    OPTION("refine", "N",
           VDI_FIELD_INT(cv_options, refine, 8, 0, 1000000,
                         "steps that refine the posterior of a trial held out")),
    OBSERVATION_OPTIONS(cv_options, y, ""),
};
const command flds_cv_command = {
    .family = "flds",
    .verb = "cv",
    .arguments = "Y",
    .least = 1,
    .most = 1,
    .out = true,
    .summary = "How many latents? Trains on all folds but one, for each, and tells the refined "
               "bound per bin of the trials held out, and of counts the bits per spike of each "
               "neuron given the others. " CV_WRITES,
    .example = "vdi flds cv counts.npy -d 1,2,3 --folds 5 --recipe plds --out cv",
    COMMAND_OPTIONS(flds_rows),
    .size = sizeof(cv_options),
    .main = cv_main,
};
