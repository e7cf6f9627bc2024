/* bench/blocktri.c - how fast is a block-tridiagonal system factorised, solved and inverted,
 * against banded LAPACK (OpenBLAS), and against a loop of BLASFEO's over the blocks of one trial?
 *
 * J is (T d)x(T d) with diagonal blocks 2 I + R R'/d and sub-diagonal blocks of entries within
 * 0.4/d, so it is well conditioned. LAPACK sees the same matrix as a band of 2d - 1 sub-diagonals;
 * since dpbtrf overwrites its input, the copy is timed with it, as vdi's copy is. Figures are per
 * block and system; the share counts T (d^3/3 + 2 d^3) flops for a factor. BLASFEO's blocks are
 * packed before the clock starts, and its factor stays packed.
 */
#include "bench.h"

typedef struct system_case {
    vdi_dtype dtype;
    size_t B, T, d;
    void *D, *E, *h, *x, *eps, *z, *S, *O, *logdet;
    vdi_blocktri bt;
    void *band, *factor; /* (B, T d, 2 d): column-major lower bands, one system after the other */
    double logdet0;
} system_case;

static void run_factor(void *ctx) {
    system_case *c = (system_case *)ctx;
    if (vdi_blocktri_factor(&c->bt, c->D, c->E, NULL) < 0) bench_check(false, "factor failed");
}
static void run_solve(void *ctx) {
    system_case *c = (system_case *)ctx;
    run_factor(ctx);
    vdi_blocktri_logdet(&c->bt, c->logdet);
    vdi_blocktri_solve(&c->bt, 1, c->h, c->x);
}
static void run_everything(void *ctx) {
    system_case *c = (system_case *)ctx;
    run_solve(ctx);
    vdi_blocktri_sample(&c->bt, 1, c->eps, c->z);
    vdi_blocktri_marginals(&c->bt, c->S, c->O);
}

typedef void pbtrf_fn(const char *, const int *, const int *, void *, const int *, int *, size_t);
typedef void pbtrs_fn(const char *, const int *, const int *, const int *, const void *,
                      const int *, void *, const int *, int *, size_t);
static pbtrf_fn *blas_pbtrf[2];
static pbtrs_fn *blas_pbtrs[2];
static void blas_any(system_case *c, bool solve) {
    int n = (int)(c->T * c->d);
    int kd = (int)(2 * c->d - 1);
    int ld = kd + 1;
    int one = 1;
    int info = 0;
    size_t size = vdi_dtype_size(c->dtype), band = (size_t)n * (size_t)ld * size;
    double logdet = 0;
    for (size_t b = 0; b < c->B; b++) {
        char *f = (char *)c->factor + b * band, *x = (char *)c->x + b * (size_t)n * size;
        memcpy(f, (char *)c->band + b * band, band);
        blas_pbtrf[c->dtype == VDI_F64]("L", &n, &kd, f, &ld, &info, 1);
        if (!solve) continue;
        for (int i = 0; i < n; i++)
            logdet += 2 * log(bench_get(c->dtype, f, (size_t)i * (size_t)ld));
        memcpy(x, (char *)c->h + b * (size_t)n * size, (size_t)n * size);
        blas_pbtrs[c->dtype == VDI_F64]("L", &n, &kd, &one, f, &ld, x, &n, &info, 1);
    }
    c->logdet0 = logdet;
}
static void run_blas_factor(void *ctx) { blas_any((system_case *)ctx, false); }
static void run_blas_solve(void *ctx) { blas_any((system_case *)ctx, true); }

/* BLASFEO without its header: its matrix is a small struct of its own, larger here than there. */
typedef union blasfeo_mat {
    double align;
    char bytes[256];
} blasfeo_mat;
typedef void feo_allocate_fn(int, int, blasfeo_mat *);
typedef void feo_pack_fn(int, int, const void *, int, blasfeo_mat *, int, int);
typedef void feo_unpack_fn(int, int, blasfeo_mat *, int, int, void *, int);
typedef void feo_syrk_fn(int, int, double, blasfeo_mat *, int, int, blasfeo_mat *, int, int, double,
                         blasfeo_mat *, int, int, blasfeo_mat *, int, int);
typedef void feo_potrf_fn(int, blasfeo_mat *, int, int, blasfeo_mat *, int, int);
typedef void feo_trsm_fn(int, int, double, blasfeo_mat *, int, int, blasfeo_mat *, int, int,
                         blasfeo_mat *, int, int);
typedef struct blasfeo_case {
    int T, d;
    blasfeo_mat *D, *E, *L, *M; /* (T) */
    feo_syrk_fn *syrk;
    feo_potrf_fn *potrf;
    feo_trsm_fn *trsm;
} blasfeo_case;

static void run_blasfeo(void *ctx) {
    blasfeo_case *f = (blasfeo_case *)ctx;
    const int d = f->d;
    for (int t = 0; t < f->T; t++) {
        blasfeo_mat *L = &f->L[t], *before = &f->M[t > 0 ? t - 1 : 0];
        if (t) f->syrk(d, d, -1, before, 0, 0, before, 0, 0, 1, &f->D[t], 0, 0, L, 0, 0);
        f->potrf(d, t ? L : &f->D[t], 0, 0, L, 0, 0);
        if (t + 1 < f->T) f->trsm(d, d, 1, L, 0, 0, &f->E[t], 0, 0, &f->M[t], 0, 0);
    }
}

/* The factor of one float64 trial as a loop over its blocks. */
static void add_blasfeo(const system_case *c) {
    static blasfeo_case f;
    const size_t T = c->T, dd = c->d * c->d;
    const int d = (int)c->d;
    f.syrk = (feo_syrk_fn *)bench_blasfeo_symbol("blasfeo_dsyrk_ln");
    if (!f.syrk) return;
    f.potrf = (feo_potrf_fn *)bench_blasfeo_symbol("blasfeo_dpotrf_l");
    f.trsm = (feo_trsm_fn *)bench_blasfeo_symbol("blasfeo_dtrsm_rltn");
    feo_allocate_fn *allocate = (feo_allocate_fn *)bench_blasfeo_symbol("blasfeo_allocate_dmat");
    feo_pack_fn *pack = (feo_pack_fn *)bench_blasfeo_symbol("blasfeo_pack_tran_dmat");
    feo_unpack_fn *unpack = (feo_unpack_fn *)bench_blasfeo_symbol("blasfeo_unpack_tran_dmat");
    blasfeo_mat *all = (blasfeo_mat *)bench_alloc(4 * T * sizeof *all);
    double *L = (double *)bench_alloc(T * dd * sizeof *L);
    double *out = (double *)bench_alloc(dd * sizeof *out);
    f.T = (int)T;
    f.d = d;
    f.D = all;
    f.E = all + T;
    f.L = all + 2 * T;
    f.M = all + 3 * T;
    for (size_t i = 0; i < 4 * T; i++)
        allocate(d, d, &all[i]);
    for (size_t t = 0; t < T; t++) {
        pack(d, d, (const double *)c->D + t * dd, d, &f.D[t], 0, 0);
        if (t + 1 < T) pack(d, d, (const double *)c->E + t * dd, d, &f.E[t], 0, 0);
    }
    run_blasfeo(&f);
    vdi_blocktri_get_factor(&c->bt, L, NULL);
    unpack(d, d, &f.L[T - 1], 0, 0, out, d);
    for (size_t i = 0; i < dd; i++) {
        if (i % c->d > i / c->d) continue;
        bench_check(fabs(out[i] - L[(T - 1) * dd + i]) <= 1e-13 * d, "BLASFEO's last block");
    }
    bench_peer("BLASFEO", run_blasfeo, &f);
}

static void put(vdi_dtype dtype, void *p, size_t i, double v) {
    if (dtype == VDI_F32)
        ((float *)p)[i] = (float)v;
    else
        ((double *)p)[i] = v;
}

/* D and E of B random systems: what is measured does not depend on the values. */
static void make_blocks(system_case *c) {
    size_t d = c->d, dd = d * d;
    double *r = (double *)bench_alloc(dd * sizeof *r);
    for (size_t t = 0; t < c->B * c->T; t++) {
        for (size_t i = 0; i < dd; i++)
            r[i] = bench_random(-1, 1);
        for (size_t i = 0; i < d; i++) {
            for (size_t j = 0; j <= i; j++) {
                double s = i == j ? 2 : 0;
                for (size_t k = 0; k < d; k++)
                    s += r[i * d + k] * r[j * d + k] / (double)d;
                put(c->dtype, c->D, t * dd + i * d + j, s);
                put(c->dtype, c->D, t * dd + j * d + i, s);
            }
        }
        if (t % c->T == c->T - 1) continue;
        for (size_t i = 0; i < dd; i++)
            put(c->dtype, c->E, (t - t / c->T) * dd + i, bench_random(-0.4, 0.4) / (double)d);
    }
}

/* The same systems as LAPACK stores them. */
static void make_bands(system_case *c) {
    size_t T = c->T, d = c->d, dd = d * d;
    size_t n = T * d, ld = 2 * d, size = vdi_dtype_size(c->dtype);
    c->band = bench_alloc(c->B * n * ld * size);
    c->factor = bench_alloc(c->B * n * ld * size);
    for (size_t b = 0; b < c->B; b++) {
        for (size_t t = 0; t < T; t++) {
            for (size_t j = 0; j < d; j++) {
                size_t column = (b * n + t * d + j) * ld;
                for (size_t i = j; i < d; i++) {
                    put(c->dtype, c->band, column + i - j,
                        bench_get(c->dtype, c->D, (b * T + t) * dd + i * d + j));
                }
                for (size_t i = 0; i < d && t + 1 < T; i++) {
                    put(c->dtype, c->band, column + d + i - j,
                        bench_get(c->dtype, c->E, (b * (T - 1) + t) * dd + i * d + j));
                }
            }
        }
    }
}

/* Row i of block t of J x - h, with plain loops. */
static double residual(const system_case *c, size_t b, size_t t, size_t i) {
    size_t T = c->T, d = c->d, dd = d * d;
    size_t x = (b * T + t) * d;
    double s = -bench_get(c->dtype, c->h, x + i);
    for (size_t j = 0; j < d; j++) {
        s += bench_get(c->dtype, c->D, (b * T + t) * dd + i * d + j) *
             bench_get(c->dtype, c->x, x + j);
        if (t) {
            s += bench_get(c->dtype, c->E, (b * (T - 1) + t - 1) * dd + i * d + j) *
                 bench_get(c->dtype, c->x, x - d + j);
        }
        if (t + 1 < T) {
            s += bench_get(c->dtype, c->E, (b * (T - 1) + t) * dd + j * d + i) *
                 bench_get(c->dtype, c->x, x + d + j);
        }
    }
    return s;
}

static void make(system_case *c) {
    size_t B = c->B, T = c->T, d = c->d;
    size_t size = vdi_dtype_size(c->dtype);
    vdi_blocktri_desc desc;
    vdi_error err;
    c->D = bench_alloc(B * T * d * d * size);
    c->E = bench_alloc(B * T * d * d * size);
    c->h = bench_array(c->dtype, B * T * d, -1, 1);
    c->eps = bench_array(c->dtype, B * T * d, -1, 1);
    c->x = bench_alloc(B * T * d * size);
    c->z = bench_alloc(B * T * d * size);
    c->logdet = bench_alloc(B * size);
    make_blocks(c);
    if (bench.serving) {
        make_bands(c);
        return;
    }
    memset(&desc, 0, sizeof desc);
    desc.dtype = c->dtype;
    desc.trials = (int64_t)B;
    desc.T = (int64_t)T;
    desc.d = (int64_t)d;
    size_t bytes = vdi_blocktri_memsize(&desc);
    if (vdi_blocktri_init(&c->bt, &desc, bench_alloc(bytes), bytes, &err) < 0)
        bench_die(err.message);
    c->S = bench_alloc(B * T * d * d * size);
    c->O = bench_alloc(B * T * d * d * size);
    run_everything(c);
    double worst = 0;
    for (size_t k = 0; k < B * T * d; k++) {
        double s = residual(c, k / (T * d), k / d % T, k % d);
        if (!(fabs(s) <= worst)) worst = fabs(s);
    }
    bench_check(worst <= (c->dtype == VDI_F32 ? 1e-5 : 1e-13), "residual of the solution");
}

typedef struct shape {
    int B, T, d;
    double bar;   /* f64 factor, ns per block and system */
    int bound;    /* BENCH_LATENCY, or the dtype whose peak scales the bar */
    double ratio; /* the bar as a ratio to banded LAPACK where both were measured */
    double aim;
} shape;
/* B = 8 and 16: one vector of trials (the prototype's case); 64: their traffic leaves the inner
 * caches */
static const shape shapes[] = {
    {8, 100, 2, 4, VDI_F64, 14.5, 0},
    {8, 100, 4, 8, VDI_F64, 16.4, 0},
    {8, 100, 8, 40, VDI_F64, 20.6, 0},
    {8, 100, 10, 65, VDI_F64, 15.6, 0},
    {64, 100, 2, 0, 0, 0, 0},
    {64, 100, 4, 0, 0, 0, 0},
    {64, 100, 8, 0, 0, 0, 0},
    {64, 100, 10, 0, 0, 0, 0},
    {16, 100, 2, 0, 0, 0, 0},
    {16, 100, 4, 0, 0, 0, 0},
    {16, 100, 8, 0, 0, 0, 0},
    {16, 100, 10, 0, 0, 0, 0},
    {1, 1000, 4, 25, BENCH_LATENCY, 5.2, 0},
    {1, 10000, 8, 75, BENCH_LATENCY, 11, 0},
    {1, 1000, 10, 180, BENCH_LATENCY, 5.6, 0},
    {1, 1000, 32, 2700, VDI_F64, 5.4, 0},
    {1, 200, 64, 11500, VDI_F64, 4.1, 9000},
    {1, 1000, 1, 0, 0, 0, 0},
    {1, 1000, 2, 0, 0, 0, 0},
    {1, 1000, 16, 0, 0, 0, 0},
    {1, 500, 48, 0, 0, 0, 0},
};

int main(int argc, char **argv) {
    bench_begin("blocktri", argc, argv);
    blas_pbtrf[0] = (pbtrf_fn *)bench_blas_symbol("spbtrf_");
    blas_pbtrf[1] = (pbtrf_fn *)bench_blas_symbol("dpbtrf_");
    blas_pbtrs[0] = (pbtrs_fn *)bench_blas_symbol("spbtrs_");
    blas_pbtrs[1] = (pbtrs_fn *)bench_blas_symbol("dpbtrs_");
    double f64_factor[VDI__COUNT(shapes)] = {0};
    for (int q = 1; q >= 0; q--) {
        for (size_t s = 0; s < VDI__COUNT(shapes); s++) {
            const shape *p = &shapes[s];
            double blocks = (double)p->B * p->T, cube = (double)p->d * p->d * p->d;
            system_case c;
            char name[96];
            bool made = false;
            if (bench.quick && (p->T == 10000 || p->B == 64)) continue;
            memset(&c, 0, sizeof c);
            c.dtype = q ? VDI_F64 : VDI_F32;
            c.B = (size_t)p->B;
            c.T = (size_t)p->T;
            c.d = (size_t)p->d;
            for (int part = 0; part < 3; part++) {
                static const char *const parts[] = {"factor", "factor, logdet, solve",
                                                    "factor, logdet, solve, sample, marginals"};
                snprintf(name, sizeof name, "%s %s, B=%d T=%d d=%d", bench_dtype(c.dtype),
                         parts[part], p->B, p->T, p->d);
                if (!bench_row(name, BENCH_NS, blocks)) continue;
                if (!made) make(&c);
                made = true;
                bench_vdi(part == 0 ? run_factor : part == 1 ? run_solve : run_everything, &c);
                if (part == 0) bench_limit_flops(c.dtype, blocks * cube * (1.0 / 3 + 2));
                if (part < 2) bench_blas(part ? run_blas_solve : run_blas_factor, &c);
                if (part == 0 && q && p->B == 1 && p->d >= 10) {
                    add_blasfeo(&c);
                    bench_bar_ratio("BLASFEO", 1.2);
                }
                if (part == 0 && q && p->bar > 0) {
                    bench_bar_figure(p->bar, p->bound);
                    bench_bar_ratio("OpenBLAS", p->ratio);
                    if (p->aim > 0) bench_aim_figure(p->aim, p->bound);
                }
                if (part == 0 && !q && p->B == 1 && p->bar > 0 && f64_factor[s] > 0)
                    bench_bar_figure(f64_factor[s], BENCH_LATENCY); /* no slower than f64 */
                bench_run();
                if (part == 0 && q && !bench.serving) f64_factor[s] = bench_figure(bench.vdi.best);
            }
        }
    }
    return bench_end();
}
