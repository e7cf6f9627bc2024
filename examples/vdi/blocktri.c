/* examples/vdi/blocktri.c - vdi blocktri: one block-tridiagonal system, everything that can be had
 * of it */
#include "tool.h"

typedef struct blocktri_options {
    const char *rhs, *eps;
} blocktri_options;

typedef struct problem {
    vdi_tensor D, E, h, eps; /* (T,d,d), (T-1,d,d), (T,d); the last two may have no data */
    int64_t T, d;
} problem;

static bool all_finite(vdi_tensor t, const char *file) {
    if (!vdi_tensor_count_nonfinite(t)) return true;
    (void)fail("expected finite numbers, got NaN or infinity, in %s", file);
    return false;
}

/* (T,d) out of a file; nothing without one. */
static bool side_load(const char *file, const problem *p, vdi_tensor *t) {
    char text[VDI_SHAPE_TEXT];
    memset(t, 0, sizeof *t);
    if (!file) return true;
    if (!array_load(file, t)) return false;
    if (vdi_tensor_count(*t) == p->T * p->d) return all_finite(*t, file);
    (void)fail("expected (%lld,%lld), got %s, in %s", (long long)p->T, (long long)p->d,
               vdi_tensor_shape_text(*t, text), file);
    return false;
}

static bool problem_load(const run *r, const blocktri_options *want, problem *p) {
    char text[VDI_SHAPE_TEXT];
    if (!array_load(r->argument[0], &p->D) || !array_load(r->argument[1], &p->E)) return false;
    const int64_t T = p->T = p->D.ndim == 3 ? p->D.shape[0] : 0;
    const int64_t d = p->d = p->D.ndim == 3 ? p->D.shape[1] : 0;
    if (p->D.ndim != 3 || p->D.shape[2] != d || T < 1 || d < 1) {
        (void)fail("expected D (T,d,d), got %s, in %s", vdi_tensor_shape_text(p->D, text),
                   r->argument[0]);
        return false;
    }
    if (p->E.ndim != 3 || p->E.shape[0] != T - 1 || p->E.shape[1] != d || p->E.shape[2] != d) {
        (void)fail("expected E (%lld,%lld,%lld), got %s, in %s", (long long)T - 1, (long long)d,
                   (long long)d, vdi_tensor_shape_text(p->E, text), r->argument[1]);
        return false;
    }
    if (!all_finite(p->D, r->argument[0]) || !all_finite(p->E, r->argument[1])) return false;
    if (!side_load(want->rhs, p, &p->h) || !side_load(want->eps, p, &p->eps)) return false;
    if (p->eps.data) return true;
    p->eps = vdi_tensor_2d(doubles(T * d), VDI_F64, T, d);
    vdi_rng rng = vdi_rng_make(r->seed, 0);
    vdi_rng_fill_normal(&rng, VDI_F64, T * d, p->eps.data);
    return true;
}

/* All that is to be had of the factor, as files. */
static bool results_save(run *r, vdi_blocktri *bt, const problem *p, double *logdet) {
    const int64_t T = p->T, d = p->d, one = 1;
    const int64_t blocks[3] = {T, d, d}, pairs[3] = {T - 1, d, d}, rows[2] = {T, d};
    double *A = doubles(T * d * d), *B = doubles(T * d * d), *x = doubles(T * d);
    bool ok = run_open_out(r);
    vdi_blocktri_logdet(bt, logdet);
    vdi_blocktri_get_factor(bt, A, B);
    ok = ok && array_save(r, "L", 3, blocks, A) && array_save(r, "M", 3, pairs, B);
    vdi_blocktri_marginals(bt, A, B);
    ok = ok && array_save(r, "S", 3, blocks, A) && array_save(r, "O", 3, pairs, B) &&
         array_save(r, "logdet", 1, &one, logdet);
    vdi_blocktri_sample(bt, 1, p->eps.data, x);
    ok = ok && array_save(r, "sample", 2, rows, x);
    if (p->h.data) {
        vdi_blocktri_solve(bt, 1, p->h.data, x);
        ok = ok && array_save(r, "solve", 2, rows, x);
    }
    free(A);
    free(B);
    free(x);
    return ok;
}

static int blocktri_main(run *r, void *options) {
    static const char *const keys[] = {"T", "d", "logdet"};
    problem p = {0};
    vdi_error err = {0};
    vdi_blocktri bt;
    vdi_blocktri_desc desc = {0};
    double logdet = 0;
    const blocktri_options *want = (const blocktri_options *)options;
    if (!problem_load(r, want, &p)) return FAILED;
    desc.dtype = VDI_F64;
    desc.trials = 1;
    desc.T = p.T;
    desc.d = p.d;
    const size_t size = vdi_blocktri_memsize(&desc);
    void *mem = size < SIZE_MAX ? malloc(size) : NULL;
    if (!mem) return fail("out of memory: %zu bytes", size);
    if (vdi_blocktri_init(&bt, &desc, mem, size, &err) < 0 ||
        vdi_blocktri_factor(&bt, p.D.data, p.E.data, &err) < 0)
        return fail_error(&err, r->argument[0]);
    const bool ok = results_save(r, &bt, &p, &logdet);
    const double values[] = {(double)p.T, (double)p.d, logdet};
    if (ok) print_results(r, keys, values, 3);
    free(mem);
    vdi_tensor_free(NULL, &p.D);
    vdi_tensor_free(NULL, &p.E);
    if (p.h.data) vdi_tensor_free(NULL, &p.h);
    if (want->eps)
        vdi_tensor_free(NULL, &p.eps);
    else
        free(p.eps.data);
    return ok ? DONE : FAILED;
}

static const option rows[] = {
    OPTION_TEXT(blocktri_options, rhs, "rhs", "H.npy", NULL,
                "right-hand side h (T,d): also writes solve.npy, J^-1 h"),
    OPTION_TEXT(blocktri_options, eps, "eps", "EPS.npy", NULL,
                "noise (T,d) for sample.npy, L^-T eps; without it drawn from --seed"),
};
const command blocktri_command = {
    .family = "blocktri",
    .verb = "",
    .arguments = "D E",
    .least = 2,
    .most = 2,
    .out = true,
    .summary = "Factorise a symmetric positive definite block-tridiagonal matrix. D (T,d,d) holds "
               "its diagonal blocks, E (T-1,d,d) those below them, E_t = J_{t+1,t}. Writes L, M "
               "(Cholesky blocks), logdet, sample, S, O (blocks of the inverse) and solve, each "
               ".npy.",
    .example = "vdi blocktri D.npy E.npy --rhs h.npy --out run",
    COMMAND_OPTIONS(rows),
    .size = sizeof(blocktri_options),
    .main = blocktri_main,
};
