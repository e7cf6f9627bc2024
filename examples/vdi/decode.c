/* examples/vdi/decode.c - vdi latents compare | decode: latents of two fits beside each other, and
 * what they say of a thing that was measured; --decode of the verbs that infer */
#include "tool.h"

/* (trials,T,k) as rows; (T,k) is one trial, (rows,) one column. False with a message. */
typedef struct rows_of {
    vdi_tensor t;
    int64_t trials, T, columns;
} rows_of;

static bool rows_load(const char *path, rows_of *x) {
    char text[VDI_SHAPE_TEXT];
    if (!array_load(path, &x->t)) return false;
    const vdi_tensor *t = &x->t;
    if (t->ndim < 1 || t->ndim > 3) {
        (void)fail("expected (trials,T,d) or (T,d), got %s, in %s", vdi_tensor_shape_text(*t, text),
                   path);
        return false;
    }
    x->trials = t->ndim == 3 ? t->shape[0] : 1;
    x->T = t->ndim == 3 ? t->shape[1] : t->shape[0];
    x->columns = t->ndim == 1 ? 1 : t->shape[t->ndim - 1];
    return true;
}

/* What was measured, for trials x T bins: (trials,T), (trials,T,k), or of one trial (T,), (T,k). */
static bool truth_load(const char *path, int64_t trials, int64_t T, rows_of *x) {
    char text[VDI_SHAPE_TEXT];
    if (!rows_load(path, x)) return false;
    const vdi_tensor *t = &x->t;
    if (t->ndim == 2 && t->shape[0] == trials && t->shape[1] == T) {
        x->trials = trials;
        x->T = T;
        x->columns = 1;
    }
    if (x->trials == trials && x->T == T) return true;
    (void)fail("expected (%lld,%lld) or (%lld,%lld,k) for the latents' bins, got %s, in %s",
               (long long)trials, (long long)T, (long long)trials, (long long)T,
               vdi_tensor_shape_text(*t, text), path);
    return false;
}

/* Rows behind the ends of trials are none. */
static void rows_end_at(double *x, int64_t trials, int64_t T, int64_t columns,
                        const int64_t *lengths) {
    for (int64_t i = 0; lengths && i < trials; i++) {
        for (int64_t k = lengths[i] * columns; k < T * columns; k++)
            x[i * T * columns + k] = (double)NAN;
    }
}

bool decode_tell(const run *r, const char *path, int64_t trials, int64_t T, int64_t d,
                 const int64_t *lengths, const double *latents, told *t) {
    rows_of truth;
    vdi_score_decode how = {0};
    vdi_error err = {0};
    double r2;
    if (!path) return true;
    if (!truth_load(path, trials, T, &truth)) return false;
    const int64_t n = truth.columns, shape[3] = {trials, T, n};
    double *work = doubles((int64_t)vdi_score_latents_work(d, n));
    double *decoded = doubles(trials * T * n);
    rows_end_at((double *)truth.t.data, trials, T, n, lengths);
    how.folds = trials >= 5 || trials < 2 ? 5 : trials;
    how.each = trials > 1 ? T : T / 10 + (T < 10); /* one trial: tenths of it */
    bool ok = vdi_score_ridge(&how, trials * T, d, latents, n, (const double *)truth.t.data, work,
                              decoded, &r2, &err) >= 0;
    if (ok)
        told_add(t, "decode_r2", r2);
    else
        (void)fail_error(&err, path);
    ok = ok && array_save(r, "decoded", 3, shape, decoded);
    free(work);
    free(decoded);
    vdi_tensor_free(NULL, &truth.t);
    return ok;
}

/* ---- decode ---------------------------------------------------------------------------------- */

static int decode_main(run *r, void *options) {
    rows_of z;
    told t = {0};
    (void)options;
    if (!rows_load(r->argument[0], &z) || !run_open_out(r)) return FAILED;
    const bool ok = decode_tell(r, r->argument[1], z.trials, z.T, z.columns, NULL,
                                (const double *)z.t.data, &t);
    if (ok) print_results(r, t.key, t.value, t.count);
    vdi_tensor_free(NULL, &z.t);
    return ok ? DONE : FAILED;
}

const command latents_decode_command = {
    .family = "latents",
    .verb = "decode",
    .arguments = "Z TRUTH",
    .least = 2,
    .most = 2,
    .out = true,
    .summary = "What latents say of a thing that was measured with them, a position say. Z "
               "(trials,T,d) is "
               "the mean.npy of an infer, or ms.npy of lds smooth; TRUTH is (trials,T,k) or "
               "(trials,T), NaN "
               "where nothing was measured. Ridge regression on four fifths of the trials (of one "
               "trial: of "
               "its tenths) decodes the others. Writes decoded.npy and tells decode_r2.",
    .example = "vdi latents decode posterior/mean.npy position.npy --out decoded",
    .size = sizeof(int),
    .main = decode_main,
};

/* ---- compare --------------------------------------------------------------------------------- */

/* Procrustes' alignment, if both have as many latents. */
static bool compare_align(const run *r, const rows_of *a, const rows_of *b, double *work, told *t) {
    const int64_t rows = a->trials * a->T, d = a->columns, shape[3] = {a->trials, a->T, d};
    vdi_error err = {0};
    double r2;
    if (d != b->columns) return true;
    double *aligned = doubles(rows * d);
    bool ok = vdi_score_procrustes(rows, d, (const double *)a->t.data, (const double *)b->t.data,
                                   work, NULL, aligned, &r2, &err) >= 0;
    if (ok)
        told_add(t, "procrustes_r2", r2);
    else
        (void)fail_error(&err, r->argument[0]);
    ok = ok && array_save(r, "aligned", 3, shape, aligned);
    free(aligned);
    return ok;
}

/* How much of b the latents of a explain, in all and one by one. */
static bool compare_share(const run *r, const rows_of *a, const rows_of *b, const char *key,
                          const char *name, double *work, told *t) {
    const int64_t d = a->columns;
    vdi_error err = {0};
    double shared, *each = doubles(d);
    bool ok = vdi_score_shared_variance(a->trials * a->T, d, (const double *)a->t.data, b->columns,
                                        (const double *)b->t.data, work, each, &shared, &err) >= 0;
    if (ok)
        told_add(t, key, shared);
    else
        (void)fail_error(&err, r->argument[1]);
    ok = ok && array_save(r, name, 1, &d, each);
    free(each);
    return ok;
}

static int compare_main(run *r, void *options) {
    rows_of a, b;
    told t = {0};
    char of_a[VDI_SHAPE_TEXT], of_b[VDI_SHAPE_TEXT];
    (void)options;
    if (!rows_load(r->argument[0], &a) || !rows_load(r->argument[1], &b)) return FAILED;
    if (a.trials != b.trials || a.T != b.T) {
        return fail("expected latents of the same bins, got %s in %s and %s in %s",
                    vdi_tensor_shape_text(a.t, of_a), r->argument[0],
                    vdi_tensor_shape_text(b.t, of_b), r->argument[1]);
    }
    if (!run_open_out(r)) return FAILED;
    const int64_t most = a.columns > b.columns ? a.columns : b.columns;
    double *work = doubles((int64_t)vdi_score_latents_work(most, most));
    const bool ok = compare_align(r, &a, &b, work, &t) &&
                    compare_share(r, &a, &b, "shared_of_second", "adds_to_second", work, &t) &&
                    compare_share(r, &b, &a, "shared_of_first", "adds_to_first", work, &t);
    if (ok) print_results(r, t.key, t.value, t.count);
    free(work);
    vdi_tensor_free(NULL, &a.t);
    vdi_tensor_free(NULL, &b.t);
    return ok ? DONE : FAILED;
}

const command latents_compare_command = {
    .family = "latents",
    .verb = "compare",
    .arguments = "Z1 Z2",
    .least = 2,
    .most = 2,
    .out = true,
    .summary =
        "Latents of two fits to the same bins, (trials,T,d) each. Tells shared_of_second, the "
        "share "
        "of the second's variance that is a linear function of the first, and shared_of_first; "
        "with "
        "as many latents in both procrustes_r2, how near the first lies to the second when turned, "
        "mirrored, scaled and moved. Writes aligned.npy, the first so moved, and "
        "adds_to_second.npy, "
        "adds_to_first.npy (d,), what each latent adds to those before it. The second may be rates "
        "too: then these are the variance that the latents explain, one by one.",
    .example = "vdi latents compare run1/mean.npy run2/mean.npy --out beside",
    .size = sizeof(int),
    .main = compare_main,
};
