/* examples/vdi/cv_jobs.c - one fit of a cross-validation and its score, for each family */
#include "cv.h"

/* ---- lds ------------------------------------------------------------------------------------- */

static bool lds_steps(const cv_options *want, vdi_lds *p, vdi_lds_data *data, vdi_error *err) {
    double ll;
    for (int64_t i = 0; i < want->iters && !interrupted(); i++)
        if (vdi_lds_em_step(p, data, &ll, err) < 0) return false;
    return true;
}

bool cv_lds_job(run *r, const cv_options *want, int64_t d, observations *train, observations *test,
                double *job) {
    vdi_lds_desc desc = {0};
    vdi_lds_data_desc dd = {0}, td = {0};
    vdi_lds *p = NULL;
    vdi_lds_data *a = NULL, *b = NULL;
    vdi_error err = {0};
    desc.d = d;
    desc.n = train->n;
    desc.inputs = train->inputs;
    desc.diagonal_r = want->diagonal_r;
    dd.y = train->y;
    dd.u = train->u;
    dd.lengths = train->lengths;
    dd.pool = td.pool = r->pool;
    td.y = test->y;
    td.u = test->u;
    td.lengths = test->lengths;
    const bool ok = vdi_lds_create(&desc, &p, &err) >= 0 &&
                    vdi_lds_data_create(p, &dd, &a, &err) >= 0 &&
                    vdi_lds_data_create(p, &td, &b, &err) >= 0 &&
                    vdi_lds_init(p, a, r->seed, &err) >= 0 && lds_steps(want, p, a, &err) &&
                    vdi_lds_log_likelihood(p, b, NULL, &job[JOB_SCORE], &err) >= 0;
    if (ok) {
        job[JOB_BINS] = (double)vdi_lds_data_observed_bins(b);
        job[JOB_SCORE] /= job[JOB_BINS];
    } else {
        (void)fail_error(&err, train->file);
    }
    vdi_lds_data_destroy(a);
    vdi_lds_data_destroy(b);
    vdi_lds_destroy(p);
    return ok;
}

/* ---- plds ------------------------------------------------------------------------------------ */

static bool plds_steps(const cv_options *want, vdi_plds *p, vdi_plds_data *data, vdi_error *err) {
    double elbo;
    for (int64_t i = 0; i < want->iters && !interrupted(); i++)
        if (vdi_plds_em_step(p, data, &elbo, err) < 0) return false;
    return true;
}

/* Bits per spike of the held-out trials, each neuron from the others. */
static bool plds_lno(const vdi_plds *p, vdi_plds_data *data, const observations *train,
                     const observations *test, double *bits, vdi_error *err) {
    const int64_t rows = test->trials * test->T;
    double *means = doubles(test->n);
    vdi_plds_prediction out = {0};
    vdi_score_bits b;
    out.log_p = doubles(rows * test->n);
    vdi_score_means(train->trials * train->T, train->n, (const double *)train->y.data, means);
    const bool ok = vdi_plds_predict(p, data, VDI_PLDS_LEAVE_ONE_OUT, &out, err) >= 0 &&
                    vdi_score_bits_per_spike(rows, test->n, (const double *)test->y.data, out.log_p,
                                             means, &b, err) >= 0;
    if (ok) *bits = b.bits_per_spike;
    free(out.log_p);
    free(means);
    return ok;
}

bool cv_plds_job(run *r, const cv_options *want, int64_t d, observations *train, observations *test,
                 double *job) {
    vdi_plds_desc desc = {0};
    vdi_plds_data_desc dd = {0}, td = {0};
    vdi_plds *p = NULL;
    vdi_plds_data *a = NULL, *b = NULL;
    vdi_error err = {0};
    desc.d = d;
    desc.n = train->n;
    dd.y = train->y;
    dd.lengths = train->lengths;
    dd.pool = td.pool = r->pool;
    td.y = test->y;
    td.lengths = test->lengths;
    const bool ok =
        vdi_plds_create(&desc, &p, &err) >= 0 && vdi_plds_data_create(p, &dd, &a, &err) >= 0 &&
        vdi_plds_data_create(p, &td, &b, &err) >= 0 && vdi_plds_init(p, a, r->seed, &err) >= 0 &&
        plds_steps(want, p, a, &err) && vdi_plds_elbo(p, b, NULL, &job[JOB_SCORE], &err) >= 0 &&
        plds_lno(p, b, train, test, &job[JOB_LNO], &err);
    if (ok) {
        job[JOB_BINS] = (double)vdi_plds_data_observed_bins(b);
        job[JOB_SCORE] /= job[JOB_BINS];
    } else {
        (void)fail_error(&err, train->file);
    }
    vdi_plds_data_destroy(a);
    vdi_plds_data_destroy(b);
    vdi_plds_destroy(p);
    return ok;
}

/* ---- flds ------------------------------------------------------------------------------------ */

/* A start, and the steps of the schedule. */
static int flds_learn(run *r, const vilds_fit_options *fit, const observations *train, vdi_vilds *m,
                      vdi_vilds_data *data) {
    vdi_vilds_progress p;
    vdi_error err = {0};
    vdi_status status = VDI_OK;
    if (fit->recipe == 1 + VDI_FLDS_FROM_PLDS) {
        const int code = vilds_start_from_plds(r, fit->em, train, m, data);
        if (code != DONE) return code;
    }
    while (!interrupted() && (status = vdi_vilds_step(m, data, NULL, &p, &err)) != VDI_END) {
        if (status < 0) return fail_error(&err, train->file);
    }
    return DONE;
}

/* Bound and bits of the trials held out. */
static bool flds_score(run *r, const cv_options *want, vilds_model *model, const observations *test,
                       vdi_vilds_data *data, double *job) {
    vdi_error err = {0};
    vdi_vilds_query q = {0};
    double mse;
    q.seed = r->seed;
    q.refine = want->refine;
    job[JOB_BINS] = (double)vdi_vilds_data_total_bins(data);
    if (vdi_vilds_score(model->m, data, &q, &job[JOB_SCORE], &err) < 0) {
        (void)fail_error(&err, test->file);
        return false;
    }
    if (!vdi_vilds_obs_counts((int)vdi_vilds_description(model->m)->obs)) return true;
    double *rates = doubles(test->trials * test->T * test->n);
    q.refine = 0;
    const bool ok =
        vilds_predict(model, test, data, VDI_VILDS_LEAVE_ONE_OUT, &q, rates, &job[JOB_LNO], &mse);
    free(rates);
    return ok;
}

bool cv_flds_job(run *r, const cv_options *want, int64_t d, observations *train, observations *test,
                 double *job) {
    vilds_fit_options fit = want->fit;
    vdi_vilds_desc desc, other;
    vilds_model model = {0};
    vdi_vilds_data *data = NULL, *unseen = NULL;
    vdi_error err = {0};
    fit.model.d = d;
    if (vilds_desc_read(r, &fit, train, &desc) != DONE ||
        vilds_desc_read(r, &fit, test, &other) != DONE)
        return false;
    if (other.max_count > desc.max_count) desc.max_count = other.max_count;
    int code = vilds_recipe_apply(r, &fit, train, &desc);
    if (code == INTERRUPTED) return true;
    if (code != DONE) return false;
    if (vdi_vilds_create(&desc, &model.m, &err) < 0) {
        (void)fail_error(&err, NULL);
        return false;
    }
    bool ok = vilds_data_make(&model, train, &data) && vilds_data_make(&model, test, &unseen) &&
              flds_learn(r, &fit, train, model.m, data) == DONE;
    if (ok && !interrupted()) ok = flds_score(r, want, &model, test, unseen, job);
    vdi_vilds_data_destroy(data);
    vdi_vilds_data_destroy(unseen);
    vilds_model_free(&model);
    return ok;
}
