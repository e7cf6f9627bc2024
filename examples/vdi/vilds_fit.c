/* examples/vdi/vilds_fit.c - vdi vilds fit, vdi flds fit: training that can be interrupted, and
 * what is left at its end */
#include "vilds.h"

typedef struct training {
    vdi_vilds *m;
    double *trace; /* (rows,TRACE_COLUMNS) */
    int64_t rows, room;
} training;

/* ---- the checkpoint: all that the model's training needs, and the trace so far --------------- */

static bool checkpoint_save(const run *r, const training *t) {
    vdi_state *s = state_copy(vdi_vilds_state(t->m, true), 1, 0);
    state_add(s, "trace", vdi_tensor_2d(t->trace, VDI_F64, t->rows, TRACE_COLUMNS));
    return state_save(r, "checkpoint.safetensors", s);
}

/* A run that ended before its first checkpoint begins anew. */
static bool checkpoint_load(const run *r, training *t, bool *there) {
    vdi_error err = {0};
    vdi_safetensors file;
    char *path = path_join(r->out, "checkpoint.safetensors");
    bool ok = true;
    *there = r->resume && file_exists(path);
    if (*there) {
        ok = vdi_safetensors_load(path, NULL, &file, &err) == VDI_OK;
        if (ok) {
            vdi_tensor trace = vdi_safetensors_find(&file, "trace");
            ok = trace.ndim == 2 && trace.dtype == VDI_F64 && trace.shape[1] == TRACE_COLUMNS;
            if (!ok) {
                (void)vdi_error_set(&err, VDI_ERR_FORMAT, "resume",
                                    "expected a trace (steps,%d) of float64", TRACE_COLUMNS);
            } else if (trace.shape[0] > t->room) {
                ok = false;
                (void)vdi_error_set(
                    &err, VDI_ERR_ARGUMENT, "resume",
                    "the run has done %lld steps, more than the %lld of this schedule",
                    (long long)trace.shape[0], (long long)t->room);
            } else {
                ok = vdi_safetensors_copy_to(&file, vdi_vilds_state(t->m, true), &err) == VDI_OK;
                t->rows = trace.shape[0];
                memcpy(t->trace, trace.data, (size_t)(t->rows * TRACE_COLUMNS) * sizeof *t->trace);
            }
            vdi_safetensors_free(&file);
        }
        if (!ok) (void)fail_error(&err, path);
    }
    free(path);
    return ok;
}

/* ---- a start from a Poisson LDS -------------------------------------------------------------- */

/* The best of some starts by training bound: VB-EM ends in optima that differ by more than the
 * network will add. */
int vilds_start_from_plds(run *r, int64_t iterations, const observations *o, vdi_vilds *m,
                          vdi_vilds_data *data) {
    enum { STARTS = 4 };
    vdi_error err = {0};
    vdi_plds_desc desc = {0};
    vdi_plds_data_desc dd = {0};
    vdi_plds *best = NULL;
    double bound = -INFINITY;
    bool ok = true;
    desc.d = vdi_vilds_description(m)->d;
    desc.n = o->n;
    dd.y = o->y;
    dd.lengths = o->lengths;
    dd.pool = r->pool;
    dd.offset = o->offset;
    dd.width = vdi_vilds_description(m)->bin_width;
    for (int k = 0; ok && k < STARTS && !interrupted(); k++) {
        vdi_plds *plds = NULL;
        vdi_plds_data *counts = NULL;
        double sum = -INFINITY;
        char what[64];
        snprintf(what, sizeof what, "Poisson LDS, start %d/%d: bound", k + 1, STARTS);
        ok = vdi_plds_create(&desc, &plds, &err) == VDI_OK &&
             vdi_plds_data_create(plds, &dd, &counts, &err) == VDI_OK &&
             vdi_plds_init(plds, counts, r->seed * 100 + (uint64_t)k, &err) >= 0;
        for (int64_t i = 0; ok && i < iterations && !interrupted(); i++) {
            ok = vdi_plds_em_step(plds, counts, &sum, &err) >= 0;
            progress(r, i + 1, iterations, what, sum / (double)vdi_plds_data_observed_bins(counts));
        }
        progress_end(r);
        vdi_plds_data_destroy(counts);
        if (ok && (!best || sum > bound)) {
            vdi_plds_destroy(best);
            best = plds;
            bound = sum;
        } else {
            vdi_plds_destroy(plds);
        }
    }
    ok = ok && (!best ||
                (vdi_vilds_init(m, data, 0, &err) >= 0 && vdi_flds_from_plds(m, best, &err) >= 0 &&
                 (interrupted() || vdi_flds_fit_encoder(m, data, 0, &err) >= 0)));
    vdi_plds_destroy(best);
    return ok ? DONE : fail_error(&err, o->file);
}

/* ---- what a fit leaves ----------------------------------------------------------------------- */

static bool trace_save(const run *r, const training *t) {
    static const char *const name[TRACE_COLUMNS] = {"step", "start", "bound", "validation", "rate"};
    vdi_named_tensor column[TRACE_COLUMNS];
    vdi_tensor all = vdi_tensor_2d(t->trace, VDI_F64, t->rows, TRACE_COLUMNS);
    for (int i = 0; i < TRACE_COLUMNS; i++) {
        column[i].name = name[i];
        column[i].tensor = vdi_tensor_index(all, 1, i);
    }
    return save_csv(r, "trace.csv", column, TRACE_COLUMNS);
}

static bool leave(run *r, const char *labels, vilds_model *model, observations *o,
                  vdi_vilds_data *data, const training *t, bool flds, double *elbo) {
    const vdi_vilds_desc *d = vdi_vilds_description(model->m);
    const int64_t bins = o->trials * o->T;
    vdi_error err = {0};
    double *label = NULL;
    if (!label_load(labels, o->trials, o->T, &label)) return false;
    if (flds) {
        if (d->posterior == VDI_VILDS_PRODUCT && !d->untied) {
            if (vdi_flds_canonical(model->m, data, &err) < 0) {
                fail_error(&err, o->file);
                return false;
            }
        } else {
            model->map = doubles(d->d * d->d);
            if (vdi_flds_canonical_map(model->m, data, model->map, &err) < 0) {
                fail_error(&err, o->file);
                return false;
            }
        }
    }
    vdi_vilds_result out = {0};
    bool ok = vilds_posterior(model, o, data, &out);
    vilds_map(model, bins, out.mean, out.cov, NULL, 0);
    *elbo = vdi_sum(VDI_F64, (size_t)o->trials, out.elbo) / (double)vdi_vilds_data_total_bins(data);
    char *picture = path_join(r->out, "trace.svg");
    char *latents = path_join(r->out, "latents.svg");
    char *rates = path_join(r->out, "rates.svg");
    ok = ok && vilds_model_save(r, model, flds ? "flds" : "vilds");
    ok = ok && trace_save(r, t);
    if (ok && !trace_picture(picture, NULL, t->trace, t->rows, &err)) {
        ok = false;
        (void)fail_error(&err, picture);
    }
    const latents_view view = {o->trials, o->T,    d->d,  o->lengths,
                               out.mean,  out.cov, label, vilds_bin_seconds(d)};
    if (ok && !latents_picture(latents, NULL, &view, &err)) {
        ok = false;
        (void)fail_error(&err, latents);
    }
    if (ok &&
        !rates_picture(rates, NULL, vdi_vilds_data_length(data, 0), o->n, (const double *)o->y.data,
                       out.rate, vdi_vilds_obs_counts((int)d->obs), vilds_bin_seconds(d), &err)) {
        ok = false;
        (void)fail_error(&err, rates);
    }
    free(picture);
    free(latents);
    free(rates);
    vilds_posterior_free(&out);
    free(label);
    return ok;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int begin_again(const run *r) {
    fprintf(stderr,
            "vdi: interrupted before the first step; begin again with: vdi %s fit --resume %s\n",
            r->command->family, r->out);
    return INTERRUPTED;
}

/* All of a fit. */
typedef struct fitting {
    observations y, val_y;
    bool has_val;
    vdi_vilds_desc desc;
    vilds_model model;
    vdi_vilds_data *data, *val;
    training t;
    vdi_vilds_progress progress;
} fitting;

static bool load(run *r, const vilds_fit_options *want, fitting *f) {
    if (!observations_load(r->argument[0], &want->y, &f->y)) return false;
    f->has_val = want->val != NULL;
    if (!f->has_val) return true;
    if (!observations_load(want->val, &want->val_y, &f->val_y)) return false;
    if (f->val_y.n == f->y.n) return true;
    (void)fail("expected %lld channels as in %s, got %lld, in %s", (long long)f->y.n, f->y.file,
               (long long)f->val_y.n, want->val);
    return false;
}

static bool make(fitting *f) {
    vdi_error err = {0};
    const vdi_vilds_train *train = &f->desc.train;
    if (vdi_vilds_create(&f->desc, &f->model.m, &err) < 0) {
        (void)fail_error(&err, NULL);
        return false;
    }
    f->t.m = f->model.m;
    f->t.room = (train->restarts > 1 ? train->restarts * train->restart_steps : 0) + train->steps +
                train->encoder_steps;
    f->t.trace = doubles(f->t.room * TRACE_COLUMNS);
    return vilds_data_make(&f->model, &f->y, &f->data) &&
           (!f->has_val || vilds_data_make(&f->model, &f->val_y, &f->val));
}

/* A row of the trace; `from_plds`: there is one start, and it was made. */
static void add_row(run *r, fitting *f, bool from_plds) {
    training *t = &f->t;
    const vdi_vilds_progress *p = &f->progress;
    char what[64];
    double *row = t->trace + t->rows++ * TRACE_COLUMNS;
    /* the start that this step belonged to */
    const int64_t which = from_plds ? p->starts : (t->rows - 1) / f->desc.train.restart_steps;
    row[TRACE_STEP] = (double)t->rows;
    row[TRACE_START] = (double)(which < p->starts ? which : p->starts);
    row[TRACE_BOUND] = p->elbo;
    row[TRACE_VALIDATION] = p->validation;
    row[TRACE_RATE] = p->rate;
    if (which < p->starts) {
        snprintf(what, sizeof what, "start %lld/%lld, bound", (long long)which + 1,
                 (long long)p->starts);
    } else {
        snprintf(what, sizeof what, "bound");
    }
    progress(r, t->rows, t->room, what, p->elbo);
}

/* The schedule with checkpoints; DONE, INTERRUPTED, or FAILED. */
static int learn(run *r, const vilds_fit_options *want, fitting *f, bool from_plds) {
    vdi_error err = {0};
    double saved = seconds_now();
    while (!interrupted()) {
        const vdi_status status = vdi_vilds_step(f->model.m, f->data, f->val, &f->progress, &err);
        if (status == VDI_END) break;
        if (status < 0) return fail_error(&err, f->y.file);
        if (!vilds_memory_tell(r, &f->model, &f->y, f->data)) return FAILED;
        add_row(r, f, from_plds);
        if (checkpoint_due(&saved, want->save_every) && !checkpoint_save(r, &f->t)) return FAILED;
    }
    progress_end(r);
    if (!checkpoint_save(r, &f->t)) return FAILED;
    if (!interrupted()) return DONE;
    fprintf(stderr,
            "vdi: interrupted after %lld of %lld steps; go on with: vdi %s fit --resume %s\n",
            (long long)f->t.rows, (long long)f->t.room, r->command->family, r->out);
    return INTERRUPTED;
}

static int tell(const run *r, fitting *f, double elbo, double seconds) {
    static const char *const keys[] = {
        "elbo_per_bin",     "homogeneous_per_bin",    "bins", "steps", "undone", "seconds",
        "val_elbo_per_bin", "val_homogeneous_per_bin"};
    vdi_error err = {0};
    double homogeneous = 0, val_homogeneous = 0, val_elbo = 0;
    if (f->val && vdi_vilds_score(f->model.m, f->val, NULL, &val_elbo, &err) < 0)
        return fail_error(&err, f->val_y.file);
    if (!vilds_homogeneous(&f->model, &f->y, f->data, &homogeneous)) return FAILED;
    if (f->val && !vilds_homogeneous(&f->model, &f->val_y, f->val, &val_homogeneous)) return FAILED;
    const double values[] = {elbo,
                             homogeneous,
                             (double)vdi_vilds_data_total_bins(f->data),
                             (double)f->t.rows,
                             (double)f->progress.undone,
                             seconds,
                             val_elbo,
                             val_homogeneous};
    print_results(r, keys, values, f->val ? 8 : 6);
    return DONE;
}

static int fit(run *r, vilds_fit_options *want, bool flds, fitting *f) {
    bool resumed;
    int code;
    if (!load(r, want, f)) return FAILED;
    if ((code = vilds_desc_read(r, want, &f->y, &f->desc)) != DONE) return code;
    if (!run_open_out(r)) return FAILED;
    if ((code = vilds_recipe_apply(r, want, &f->y, &f->desc)) == INTERRUPTED) return begin_again(r);
    if (code != DONE) return code;
    if (!run_json_save(r) || !make(f) || !checkpoint_load(r, &f->t, &resumed)) return FAILED;
    const bool from_plds = want->recipe == 1 + VDI_FLDS_FROM_PLDS;
    if (from_plds && !resumed) {
        code = vilds_start_from_plds(r, want->em, &f->y, f->model.m, f->data);
        if (code != DONE) return code;
        if (interrupted()) return begin_again(r);
    }
    const double began = seconds_now();
    double elbo = 0;
    if ((code = learn(r, want, f, from_plds)) != DONE) return code;
    if (!leave(r, want->label, &f->model, &f->y, f->data, &f->t, flds, &elbo)) return FAILED;
    return tell(r, f, elbo, seconds_now() - began);
}

int vilds_fit_main(run *r, vilds_fit_options *want, bool flds) {
    fitting f = {0};
    const int code = fit(r, want, flds, &f);
    vdi_vilds_data_destroy(f.data);
    vdi_vilds_data_destroy(f.val);
    observations_free(&f.y);
    observations_free(&f.val_y);
    vilds_model_free(&f.model);
    free(f.t.trace);
    return code;
}
