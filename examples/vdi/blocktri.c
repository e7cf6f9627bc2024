/* examples/vdi/blocktri.c - vdi blocktri: one block-tridiagonal system, everything that can be had
 * of it */
#include "tool.h"

typedef struct blocktri_options {
    const char *rhs, *eps;
} blocktri_options;

static int blocktri_main(run *r, void *options) {
    const blocktri_options *o = (const blocktri_options *)options;
    vdi_tensor D, E, h = {0}, eps = {0};
    char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
    vdi_error err = {0};
    if (!array_load(r->argument[0], &D) || !array_load(r->argument[1], &E)) return FAILED;
    int64_t T = D.ndim == 3 ? D.shape[0] : 0, d = D.ndim == 3 ? D.shape[1] : 0;
    if (D.ndim != 3 || D.shape[2] != d || T < 1 || d < 1) {
        return fail("expected D (T,d,d), got %s, in %s", vdi_tensor_shape_text(D, a),
                    r->argument[0]);
    }
    if (E.ndim != 3 || E.shape[0] != T - 1 || E.shape[1] != d || E.shape[2] != d) {
        return fail("expected E (%lld,%lld,%lld), got %s, in %s", (long long)T - 1, (long long)d,
                    (long long)d, vdi_tensor_shape_text(E, b), r->argument[1]);
    }
    if (vdi_tensor_count_nonfinite(D))
        return fail("expected finite numbers, got NaN or infinity, in %s", r->argument[0]);
    if (vdi_tensor_count_nonfinite(E))
        return fail("expected finite numbers, got NaN or infinity, in %s", r->argument[1]);
    const char *file[2] = {o->rhs, o->eps};
    vdi_tensor *side[2] = {&h, &eps};
    for (int i = 0; i < 2; i++) {
        if (!file[i]) continue;
        if (!array_load(file[i], side[i])) return FAILED;
        if (vdi_tensor_count(*side[i]) != T * d) {
            return fail("expected (%lld,%lld), got %s, in %s", (long long)T, (long long)d,
                        vdi_tensor_shape_text(*side[i], a), file[i]);
        }
    }
    vdi_blocktri_desc desc = {0};
    desc.dtype = VDI_F64;
    desc.trials = 1;
    desc.T = T;
    desc.d = d;
    size_t size = vdi_blocktri_memsize(&desc);
    void *mem = size < SIZE_MAX ? malloc(size) : NULL;
    if (!mem) return fail("out of memory: %zu bytes", size);
    vdi_blocktri bt;
    if (vdi_blocktri_init(&bt, &desc, mem, size, &err) < 0 ||
        vdi_blocktri_factor(&bt, D.data, E.data, &err) < 0)
        return fail_error(&err, r->argument[0]);
    double logdet;
    double *L = doubles(T * d * d);
    double *M = doubles(T * d * d);
    double *S = doubles(T * d * d);
    double *O = doubles(T * d * d);
    double *x = doubles(T * d);
    double *z = doubles(T * d);
    vdi_blocktri_logdet(&bt, &logdet);
    vdi_blocktri_get_factor(&bt, L, M);
    vdi_blocktri_marginals(&bt, S, O);
    if (h.data) vdi_blocktri_solve(&bt, 1, h.data, x);
    if (!eps.data) {
        eps.data = doubles(T * d);
        vdi_rng rng = vdi_rng_make(r->seed, 0);
        vdi_rng_fill_normal(&rng, VDI_F64, T * d, eps.data);
    }
    vdi_blocktri_sample(&bt, 1, eps.data, z);
    int64_t one = 1;
    int64_t blocks[3] = {T, d, d};
    int64_t pairs[3] = {T - 1, d, d};
    int64_t rows[2] = {T, d};
    if (!run_open_out(r)) return FAILED;
    bool ok = array_save(r, "L", 3, blocks, L) && array_save(r, "M", 3, pairs, M) &&
              array_save(r, "S", 3, blocks, S) && array_save(r, "O", 3, pairs, O) &&
              array_save(r, "logdet", 1, &one, &logdet) && array_save(r, "sample", 2, rows, z) &&
              (!h.data || array_save(r, "solve", 2, rows, x));
    free(mem);
    free(L);
    free(M);
    free(S);
    free(O);
    free(x);
    free(z);
    vdi_tensor_free(NULL, &D);
    vdi_tensor_free(NULL, &E);
    if (!ok) return FAILED;
    static const char *const keys[] = {"T", "d", "logdet"};
    double values[] = {(double)T, (double)d, logdet};
    print_results(r, keys, values, 3);
    return DONE;
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
