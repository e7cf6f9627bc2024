/* examples/vdi/vilds_model.c - the model of vilds and flds: from options, into its file, out of
 * it */

#include "vilds.h"

int vilds_desc_read(const run *r, const vilds_fit_options *want, const observations *o,
                    vdi_vilds_desc *desc) {
    *desc = want->model;
    if (desc->d == 0) return usage("expected -d D, the latent dimension");
    desc->n = o->n;
    desc->inputs = o->inputs;
    desc->dtype = want->doubles ? VDI_F64 : VDI_F32;
    desc->train.seed = r->seed;
    desc->pool = r->pool;
    if (vdi_vilds_obs_counts((int)desc->obs)) { /* generalised counts: a weight for each */
        double most = 2;
        for (int64_t i = 0; i < o->trials * o->T * o->n; i++) {
            double y = ((const double *)o->y.data)[i];
            if (y == y) most = fmax(most, y);
        }
        desc->max_count = most < 4096 ? (int64_t)most : 4096;
    }
    return DONE;
}

bool vilds_posterior(vilds_model *model, const observations *o, vdi_vilds_data *data,
                     vdi_vilds_result *out) {
    const int64_t d = vdi_vilds_description(model->m)->d, bins = o->trials * o->T;
    const vdi_vilds_query q = {.samples = 16};
    vdi_error err = {0};
    out->mean = doubles(bins * d);
    out->cov = doubles(bins * d * d);
    out->rate = doubles(bins * o->n);
    out->elbo = doubles(o->trials);
    if (vdi_vilds_infer(model->m, data, &q, out, &err) >= 0) return true;
    return fail_error(&err, o->file) == DONE;
}

void vilds_posterior_free(vdi_vilds_result *out) {
    free(out->mean);
    free(out->cov);
    free(out->rate);
    free(out->elbo);
}

bool vilds_memory_tell(run *r, vilds_model *model, const observations *o, vdi_vilds_data *data) {
    const double d = (double)vdi_vilds_description(model->m)->d, n = (double)o->n;
    const double bins = (double)(o->trials * o->T), real = sizeof(double);
    vdi_vilds_result out = {0};
    if (r->told_memory || r->quiet) return true;
    r->told_memory = true;
    if ((double)vdi_vilds_bytes(model->m, data) < 4e7) return true; /* nothing to tell */
    const bool ok = vilds_posterior(model, o, data, &out);
    vilds_posterior_free(&out);
    memory_tell(r, (double)vdi_vilds_bytes(model->m, data) + bins * (2 * n + d + d * d) * real,
                "the data, training, and the posterior at its end");
    return ok;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* What vdi_vilds_state tells, the family, and the map. The order and the bytes are the same for
 * equal models. */
bool vilds_model_save(const run *r, const vilds_model *model, const char *family) {
    const int64_t d = vdi_vilds_description(model->m)->d;
    vdi_state *s = state_copy(vdi_vilds_state(model->m, false), 1, 2);
    state_note(s, "family", family);
    state_note(s, "version", VDI_VERSION);
    if (model->map) state_add(s, "canonical.map", vdi_tensor_2d(model->map, VDI_F64, d, d));
    return state_save(r, "model.safetensors", s);
}

bool vilds_model_load(run *r, const char *path, vilds_model *out) {
    vdi_error err = {0};
    vdi_safetensors file;
    vdi_vilds_desc desc;
    bool folder = folder_exists(path);
    char *name = folder ? path_join(path, "model.safetensors") : NULL;
    if (!folder && (name = (char *)malloc(strlen(path) + 1))) strcpy(name, path);
    if (!name) exit(fail("out of memory"));
    memset(out, 0, sizeof *out);
    if (folder && !file_exists(name)) {
        fail("expected a finished fit, got a folder without model.safetensors, in %s", path);
        return false;
    }
    if (vdi_safetensors_load(name, NULL, &file, &err) < 0) {
        fail_error(&err, name);
        return false;
    }
    memset(&desc, 0, sizeof desc);
    desc.dtype = vdi_safetensors_find(&file, "prior.A").dtype; /* older files do not say */
    if (vdi_vilds_desc_from_meta(&desc, file.state.meta, file.state.meta_count, &err) < 0) {
        fail("expected a model that 'vdi vilds fit' or 'vdi flds fit' wrote: %s, in %s",
             err.message, name);
        return false;
    }
    desc.pool = r->pool;
    bool ok = vdi_vilds_create(&desc, &out->m, &err) == VDI_OK &&
              vdi_safetensors_copy_to(&file, vdi_vilds_state(out->m, false), &err) == VDI_OK;
    vdi_tensor map = vdi_safetensors_find(&file, "canonical.map");
    if (ok && vdi_tensor_ok(map)) {
        out->map = doubles(desc.d * desc.d);
        ok = vdi_tensor_copy(vdi_tensor_2d(out->map, VDI_F64, desc.d, desc.d), map, &err) == VDI_OK;
    }
    if (!ok) (void)fail_error(&err, name);
    vdi_safetensors_free(&file);
    free(name);
    return ok;
}

void vilds_model_free(vilds_model *model) {
    vdi_vilds_destroy(model->m);
    free(model->map);
    memset(model, 0, sizeof *model);
}

/* ---- data ------------------------------------------------------------------------------------ */

bool vilds_data_make(const vilds_model *model, observations *o, vdi_vilds_data **out) {
    vdi_error err = {0};
    vdi_vilds_data_desc desc = {0};
    const vdi_vilds_desc *d = vdi_vilds_description(model->m);
    if (d->inputs && !o->inputs) {
        fail("expected --inputs with %lld entries, as the model was trained with, for %s",
             (long long)d->inputs, o->file);
        return false;
    }
    desc.y = o->y;
    desc.u = o->u;
    desc.lengths = o->lengths;
    desc.offset = o->offset;
    desc.has_offset = vdi_tensor_ok(o->offset);
    if (vdi_vilds_data_create(model->m, &desc, out, &err) < 0) {
        fail_error(&err, o->file);
        return false;
    }
    double *y = (double *)o->y.data;
    for (int64_t i = 0; i < o->trials; i++) {
        for (int64_t k = vdi_vilds_data_length(*out, i) * o->n; k < o->T * o->n; k++)
            y[i * o->T * o->n + k] = NAN;
    }
    return true;
}

double *vilds_constant(const vilds_model *model, const observations *o,
                       const vdi_vilds_data *data) {
    vdi_error err = {0};
    double *log_p = doubles(o->trials * o->T * o->n);
    if (vdi_vilds_constant(model->m, data, log_p, &err) == VDI_OK) return log_p;
    (void)fail_error(&err, o->file);
    free(log_p);
    return NULL;
}

bool vilds_homogeneous(const vilds_model *model, const observations *o, const vdi_vilds_data *data,
                       double *per_bin) {
    double *log_p = vilds_constant(model, o, data), total = 0;
    if (!log_p) return false;
    for (int64_t row = 0; row < o->trials * o->T; row++) {
        double sum = 0;
        for (int64_t j = 0; j < o->n; j++)
            sum += log_p[row * o->n + j];
        total += sum;
    }
    *per_bin = total / (double)vdi_vilds_data_total_bins(data);
    free(log_p);
    return true;
}

/* x -> G x, S -> G S G' in place, for `count` bins and `pairs` blocks of the lagged covariance. */
void vilds_map(const vilds_model *model, int64_t count, double *mean, double *cov, double *lagcov,
               int64_t pairs) {
    const int64_t d = vdi_vilds_description(model->m)->d;
    const double *G = model->map;
    if (!G) return;
    double *work = doubles(d * d);
    for (int64_t i = 0; mean && i < count; i++) {
        vdi_gemm(VDI_F64, VDI_GEMM_TB, 1, (size_t)d, (size_t)d, mean + i * d, (size_t)d, G,
                 (size_t)d, work, (size_t)d);
        memcpy(mean + i * d, work, (size_t)d * sizeof *work);
    }
    for (int k = 0; k < 2; k++) {
        double *S = k ? lagcov : cov;
        for (int64_t i = 0; S && i < (k ? pairs : count); i++) {
            vdi_gemm(VDI_F64, 0, (size_t)d, (size_t)d, (size_t)d, G, (size_t)d, S + i * d * d,
                     (size_t)d, work, (size_t)d);
            vdi_gemm(VDI_F64, VDI_GEMM_TB, (size_t)d, (size_t)d, (size_t)d, work, (size_t)d, G,
                     (size_t)d, S + i * d * d, (size_t)d);
        }
    }
    free(work);
}
