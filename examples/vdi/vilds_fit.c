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
    vdi_vilds_query q = {0};
    out.mean = doubles(bins * d->d);
    out.cov = doubles(bins * d->d * d->d);
    out.rate = doubles(bins * d->n);
    out.elbo = doubles(o->trials);
    q.samples = 16;
    bool ok = vdi_vilds_infer(model->m, data, &q, &out, &err) >= 0;
    if (!ok) (void)fail_error(&err, o->file);
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
    if (ok && !latents_picture(latents, NULL, o->trials, o->T, d->d, o->lengths, out.mean, out.cov,
                               label, &err)) {
        ok = false;
        (void)fail_error(&err, latents);
    }
    if (ok &&
        !rates_picture(rates, NULL, vdi_vilds_data_length(data, 0), o->n, (const double *)o->y.data,
                       out.rate, vdi_vilds_obs_counts((int)d->obs), &err)) {
        ok = false;
        (void)fail_error(&err, rates);
    }
    free(picture);
    free(latents);
    free(rates);
    free(out.mean);
    free(out.cov);
    free(out.rate);
    free(out.elbo);
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

int vilds_fit_main(run *r, vilds_fit_options *want, bool flds) {
    observations o, vo;
    vilds_model model = {0};
    vdi_vilds_data *data = NULL, *val = NULL;
    vdi_vilds_desc desc;
    vdi_error err = {0};
    const char *val_file = want->val;
    bool from_plds, resumed;
    int code;
    if (!observations_load(r->argument[0], &want->y, &o)) return FAILED;
    if (val_file) {
        if (!observations_load(val_file, &want->val_y, &vo)) return FAILED;
        if (vo.n != o.n) {
            return fail("expected %lld channels as in %s, got %lld, in %s", (long long)o.n, o.file,
                        (long long)vo.n, val_file);
        }
    }
    if ((code = vilds_desc_read(r, want, &o, &desc)) != DONE) return code;
    if (!run_open_out(r)) return FAILED;
    if ((code = vilds_recipe_apply(r, want, &o, &desc)) == INTERRUPTED) return begin_again(r);
    if (code != DONE) return code;
    if (!run_json_save(r)) return FAILED;
    from_plds = strcmp(want->recipe, "plds") == 0;

    if (vdi_vilds_create(&desc, &model.m, &err) < 0) return fail_error(&err, NULL);
    if (!vilds_data_make(&model, &o, &data) || (val_file && !vilds_data_make(&model, &vo, &val)))
        return FAILED;
    training t = {0};
    t.m = model.m;
    t.room = (desc.train.restarts > 1 ? desc.train.restarts * desc.train.restart_steps : 0) +
             desc.train.steps;
    t.trace = doubles(t.room * TRACE_COLUMNS);
    if (!checkpoint_load(r, &t, &resumed)) return FAILED;
    if (from_plds && !resumed) {
        if ((code = vilds_start_from_plds(r, want->em, &o, model.m, data)) != DONE) return code;
        if (interrupted()) return begin_again(r);
    }
    double saved = seconds_now(), began = saved;
    vdi_vilds_progress p = {0};
    char what[64];
    while (!interrupted()) {
        vdi_status status = vdi_vilds_step(model.m, data, val, &p, &err);
        if (status == VDI_END) break;
        if (status < 0) return fail_error(&err, o.file);
        double *row = t.trace + t.rows++ * TRACE_COLUMNS;
        /* the start that this step belonged to */
        int64_t which = from_plds ? p.starts : (t.rows - 1) / desc.train.restart_steps;
        row[TRACE_STEP] = (double)t.rows;
        row[TRACE_START] = (double)(which < p.starts ? which : p.starts);
        row[TRACE_BOUND] = p.elbo;
        row[TRACE_VALIDATION] = p.validation;
        row[TRACE_RATE] = p.rate;
        if (which < p.starts) {
            snprintf(what, sizeof what, "start %lld/%lld, bound", (long long)which + 1,
                     (long long)p.starts);
        } else {
            snprintf(what, sizeof what, "bound");
        }
        progress(r, t.rows, t.room, what, p.elbo);
        if (checkpoint_due(&saved, want->save_every)) {
            if (!checkpoint_save(r, &t)) return FAILED;
        }
    }
    progress_end(r);
    if (!checkpoint_save(r, &t)) return FAILED;
    if (interrupted()) {
        fprintf(stderr,
                "vdi: interrupted after %lld of %lld steps; go on with: vdi %s fit --resume %s\n",
                (long long)t.rows, (long long)t.room, r->command->family, r->out);
        return INTERRUPTED;
    }
    double elbo = 0, val_elbo = 0;
    if (!leave(r, want->label, &model, &o, data, &t, flds, &elbo)) return FAILED;
    if (val && vdi_vilds_score(model.m, val, NULL, &val_elbo, &err) < 0)
        return fail_error(&err, val_file);
    static const char *const keys[] = {
        "elbo_per_bin",     "homogeneous_per_bin",    "bins", "steps", "undone", "seconds",
        "val_elbo_per_bin", "val_homogeneous_per_bin"};
    double bins = (double)vdi_vilds_data_total_bins(data), homogeneous = 0, val_homogeneous = 0;
    if (!vilds_homogeneous(&model, &o, data, &homogeneous)) return FAILED;
    if (val && !vilds_homogeneous(&model, &vo, val, &val_homogeneous)) return FAILED;
    double values[] = {elbo,           homogeneous,      bins,
                       (double)t.rows, (double)p.undone, seconds_now() - began,
                       val_elbo,       val_homogeneous};
    print_results(r, keys, values, val ? 8 : 6);
    vdi_vilds_data_destroy(data);
    vdi_vilds_data_destroy(val);
    observations_free(&o);
    if (val_file) observations_free(&vo);
    vilds_model_free(&model);
    free(t.trace);
    return DONE;
}
