/* The block-tridiagonal solver against dense algebra, against references, and its adjoints against
 * differences. */
#include "lds_array.h"

typedef unsigned long long seed_t;

static double get(vdi_dtype dtype, const void *p, int64_t i) { return vdi_dtype_load(dtype, p, i); }

/* A batch made from its own factor: L (unit to 2 on the diagonal), M, and J's blocks D, E from
 * them. Behind a trial's length: NaN. */
typedef struct batch {
    vdi_dtype dtype;
    int64_t B, T, d;
    int64_t *lengths;
    void *D, *E, *h, *eps;
    double *J; /* dense (B, Td, Td) as the solver sees it, cut to T = length * d rows */
    void *mem;
    vdi_blocktri bt;
    vdi_blocktri_desc desc;
} batch;

static void *make(int64_t n, size_t size) {
    void *p = calloc((size_t)(n + 1), size);
    CHECK(p != NULL, "out of memory");
    return p;
}

static void batch_free(batch *b) {
    free(b->lengths);
    free(b->D);
    free(b->E);
    free(b->h);
    free(b->eps);
    free(b->J);
    free(b->mem);
}

/* ragged: 0 all T, 1 lengths of every kind, 0 and 1 among them. tight: how large M is against L, so
 * how badly conditioned. */
/* Trial i: D and E of a positive definite matrix, the product of a bidiagonal factor and its
 * transpose; NaN behind the trial's length. */
static void batch_make_blocks(batch *b, int64_t i, int64_t length, double tight, seed_t *s) {
    const int64_t T = b->T, d = b->d, dd = d * d;
    double *L = (double *)make(T * dd, sizeof(double));
    double *M = (double *)make(T * dd, sizeof(double));
    for (int64_t t = 0; t < T; t++) {
        for (int64_t r = 0; r < d; r++) {
            for (int64_t c = 0; c < d; c++) {
                const int64_t at = t * dd + r * d + c;
                if (c <= r) {
                    L[at] = r == c ? 1 + test_uniform(s) : 0.6 * (test_uniform(s) - 0.5);
                }
                M[at] = tight * (test_uniform(s) - 0.5) / sqrt((double)d);
            }
        }
    }
    for (int64_t at = 0; at < T * dd; at++) {
        const int64_t t = at / dd, r = at / d % d, c = at % d;
        double D = 0, E = 0;
        for (int64_t k = 0; k < d; k++) {
            D += L[t * dd + r * d + k] * L[t * dd + c * d + k];
            if (t) D += M[(t - 1) * dd + r * d + k] * M[(t - 1) * dd + c * d + k];
            E += M[t * dd + r * d + k] * L[t * dd + c * d + k];
        }
        vdi_dtype_store(b->dtype, b->D, i * T * dd + at, t < length ? D : (double)NAN);
        if (t + 1 < T) {
            vdi_dtype_store(b->dtype, b->E, i * (T - 1) * dd + at,
                            t + 1 < length ? E : (double)NAN);
        }
    }
    free(L);
    free(M);
}

/* Trial i as a dense matrix, of the lower triangles as the solver reads them. */
static void batch_make_dense(batch *b, int64_t i, int64_t length) {
    const int64_t T = b->T, d = b->d, dd = d * d, n = T * d;
    double *J = b->J + i * n * n;
    for (int64_t t = 0; t < length; t++) {
        for (int64_t r = 0; r < d; r++) {
            for (int64_t c = 0; c < d; c++) {
                J[(t * d + r) * n + t * d + c] =
                    get(b->dtype, b->D, (i * T + t) * dd + (r > c ? r * d + c : c * d + r));
                if (t + 1 < length) {
                    J[((t + 1) * d + r) * n + t * d + c] = J[(t * d + c) * n + (t + 1) * d + r] =
                        get(b->dtype, b->E, (i * (T - 1) + t) * dd + r * d + c);
                }
            }
        }
    }
}

static void batch_make_vectors(batch *b, int64_t i, int64_t length, seed_t *s) {
    const int64_t n = b->T * b->d, end = length * b->d;
    for (int64_t t = 0; t < n; t++) {
        vdi_dtype_store(b->dtype, b->h, i * n + t, t < end ? test_normal(s) : (double)NAN);
        vdi_dtype_store(b->dtype, b->eps, i * n + t, t < end ? test_normal(s) : (double)NAN);
    }
}

/* Any length, none, one bin, all of them. */
static int64_t ragged_length(int64_t i, int64_t T, seed_t *s) {
    if (i % 3 == 0) return (int64_t)(test_uniform(s) * (double)(T + 1));
    if (i % 3 == 1) return i / 3 % 2 ? 0 : VDI__MIN(T, 1);
    return T;
}

static void batch_make(batch *b, vdi_dtype dtype, int64_t B, int64_t T, int64_t d, int ragged,
                       double tight, vdi_pool *pool) {
    seed_t s = (seed_t)(88172645463325252ull + (seed_t)(B * 1000003 + T * 10007 + d * 101));
    const int64_t dd = d * d;
    const size_t real = vdi_dtype_size(dtype);
    memset(b, 0, sizeof *b);
    b->dtype = dtype;
    b->B = B;
    b->T = T;
    b->d = d;
    b->D = make(B * T * dd, real);
    b->E = make(B * T * dd, real);
    b->h = make(B * T * d, real);
    b->eps = make(B * T * d, real);
    b->J = (double *)make(B * T * d * T * d, sizeof(double));
    if (ragged) b->lengths = (int64_t *)make(B, sizeof(int64_t));
    for (int64_t i = 0; i < B; i++) {
        int64_t length = T;
        if (ragged) length = b->lengths[i] = ragged_length(i, T, &s);
        batch_make_blocks(b, i, length, tight, &s);
        batch_make_dense(b, i, length);
        batch_make_vectors(b, i, length, &s);
    }
    b->desc.dtype = dtype;
    b->desc.trials = B;
    b->desc.T = T;
    b->desc.d = d;
    b->desc.lengths = b->lengths;
    b->desc.pool = pool;
    const size_t size = vdi_blocktri_memsize(&b->desc);
    b->mem = make((int64_t)size, 1);
    vdi_error err;
    CHECK_OK(vdi_blocktri_init(&b->bt, &b->desc, b->mem, size, &err), err);
}

static int64_t length_of(const batch *b, int64_t i) { return b->lengths ? b->lengths[i] : b->T; }

/* Inverse and log det of the first n of N rows, by a plain Cholesky; C (n,n) lower comes along. */
static double dense_inverse(int64_t n, int64_t N, const double *J, double *C, double *inverse) {
    double logdet = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double s = J[i * N + j];
            for (int64_t k = 0; k < j; k++)
                s -= C[i * n + k] * C[j * n + k];
            C[i * n + j] = i == j ? sqrt(s) : s / C[j * n + j];
            if (i == j) logdet += 2 * log(C[i * n + i]);
        }
    }
    for (int64_t c = 0; c < n; c++) {
        double *x = inverse + c * n;
        for (int64_t i = 0; i < n; i++) {
            double s = i == c;
            for (int64_t k = 0; k < i; k++)
                s -= C[i * n + k] * x[k];
            x[i] = s / C[i * n + i];
        }
        for (int64_t i = n - 1; i >= 0; i--) {
            double s = x[i];
            for (int64_t k = i + 1; k < n; k++)
                s -= C[k * n + i] * x[k];
            x[i] = s / C[i * n + i];
        }
    }
    return logdet;
}

static double norm_inf(int64_t n, int64_t N, const double *A) {
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double s = 0;
        for (int64_t j = 0; j < n; j++)
            s += fabs(A[i * N + j]);
        worst = test_worst(worst, s);
    }
    return worst;
}

/* What the solver says about one batch; x: the solutions of h and, behind them, of eps. */
typedef struct answers {
    void *L, *M, *S, *O, *x, *z, *u, *y, *logdet;
} answers;

static void answers_make(batch *b, answers *a) {
    const int64_t N = b->T * b->d;
    const int64_t blocks = b->B * N * b->d;
    const size_t real = vdi_dtype_size(b->dtype), bytes = (size_t)(b->B * N) * real;
    vdi_error err;
    a->L = make(blocks, real);
    a->M = make(blocks, real);
    a->S = make(blocks, real);
    a->O = make(blocks, real);
    a->x = make(2 * b->B * N, real);
    a->z = make(b->B * N, real);
    a->u = make(b->B * N, real);
    a->y = make(b->B * N, real);
    a->logdet = make(b->B, real);
    for (int64_t i = 0; i < blocks; i++) { /* whatever is not written shows */
        vdi_dtype_store(b->dtype, a->L, i, 7);
        vdi_dtype_store(b->dtype, a->M, i, 7);
        vdi_dtype_store(b->dtype, a->S, i, 7);
        vdi_dtype_store(b->dtype, a->O, i, 7);
    }
    char *right = (char *)make(2 * b->B * N, real);
    memcpy(right, b->h, bytes);
    memcpy(right + bytes, b->eps, bytes);
    CHECK_OK(vdi_blocktri_factor(&b->bt, b->D, b->T > 1 ? b->E : NULL, &err), err);
    vdi_blocktri_get_factor(&b->bt, a->L, a->M);
    vdi_blocktri_logdet(&b->bt, a->logdet);
    vdi_blocktri_solve(&b->bt, 2, right, a->x);
    memcpy(a->z, b->eps, bytes);
    vdi_blocktri_sample(&b->bt, 1, a->z, a->z);
    vdi_blocktri_solve_lower(&b->bt, 1, b->h, a->u);
    vdi_blocktri_marginals(&b->bt, a->S, a->O);
    vdi_blocktri_matvec(&b->bt, b->D, b->E, 1, a->x, a->y);
    free(right);
}

static void answers_free(answers *a) {
    free(a->L);
    free(a->M);
    free(a->S);
    free(a->O);
    free(a->x);
    free(a->z);
    free(a->u);
    free(a->y);
    free(a->logdet);
}

/* The largest residual of each answer for one trial. */
typedef struct residuals {
    double J, S, x, y, z, u;
} residuals;

/* Row r of block t of trial i: L L' + M M' = J, and the blocks of the inverse K (n,n). */
static void block_residuals(const batch *b, const answers *a, int64_t i, int64_t t, int64_t r,
                            const double *K, residuals *worst) {
    const vdi_dtype dt = b->dtype;
    const int64_t T = b->T, d = b->d, dd = d * d, N = T * d;
    const int64_t length = length_of(b, i), n = length * d;
    const int64_t at = (i * T + t) * dd;
    const int64_t before = (i * (T - 1) + t - 1) * dd;
    const int64_t after = (i * (T - 1) + t) * dd;
    const double *J = b->J + i * N * N;
    for (int64_t c = 0; c < d; c++) {
        const int64_t row = at + r * d, column = at + c * d;
        const double l = get(dt, a->L, row + c), s = get(dt, a->S, row + c);
        double LL = 0;
        CHECK(c <= r || l == 0, "L has %g above the diagonal", l);
        CHECK(c != r || l > 0, "L has %g on the diagonal", l);
        for (int64_t k = 0; k < d; k++) {
            LL += get(dt, a->L, row + k) * get(dt, a->L, column + k);
            if (t) LL += get(dt, a->M, before + r * d + k) * get(dt, a->M, before + c * d + k);
        }
        worst->J = test_worst(worst->J, fabs(LL - J[(t * d + r) * N + t * d + c]));
        worst->S = test_worst(worst->S, fabs(s - K[(t * d + r) * n + t * d + c]));
        CHECK(s == get(dt, a->S, column + r), "S is not symmetric");
        if (t + 1 == length) continue;
        double ML = 0, o = get(dt, a->O, after + r * d + c);
        for (int64_t k = 0; k < d; k++)
            ML += get(dt, a->M, after + r * d + k) * get(dt, a->L, column + k);
        worst->J = test_worst(worst->J, fabs(ML - J[((t + 1) * d + r) * N + t * d + c]));
        worst->S = test_worst(worst->S, fabs(o - K[((t + 1) * d + r) * n + t * d + c]));
    }
}

/* Row r of block t of trial i: J x = h and = y, U u = h, U' z = eps. */
static void vector_residuals(const batch *b, const answers *a, int64_t i, int64_t t, int64_t r,
                             residuals *worst) {
    const vdi_dtype dt = b->dtype;
    const int64_t T = b->T, d = b->d, dd = d * d, N = T * d;
    const int64_t length = length_of(b, i);
    const int64_t at = (i * T + t) * dd;
    const int64_t before = (i * (T - 1) + t - 1) * dd;
    const int64_t after = (i * (T - 1) + t) * dd;
    const int64_t here = i * N + t * d;
    const double *J = b->J + i * N * N + (t * d + r) * N;
    double hx = get(dt, b->h, here + r);
    double hu = hx;
    double ez = get(dt, b->eps, here + r);
    double ey = -get(dt, a->y, here + r);
    for (int64_t c = 0; c < d; c++) {
        hu -= get(dt, a->L, at + r * d + c) * get(dt, a->u, here + c);
        ez -= get(dt, a->L, at + c * d + r) * get(dt, a->z, here + c);
        if (t) hu -= get(dt, a->M, before + r * d + c) * get(dt, a->u, here - d + c);
        if (t + 1 < length) ez -= get(dt, a->M, after + c * d + r) * get(dt, a->z, here + d + c);
    }
    for (int64_t k = 0; k < length * d; k++) {
        hx -= J[k] * get(dt, a->x, i * N + k);
        ey += J[k] * get(dt, a->x, i * N + k);
    }
    worst->x = test_worst(worst->x, fabs(hx));
    worst->u = test_worst(worst->u, fabs(hu));
    worst->z = test_worst(worst->z, fabs(ez));
    worst->y = test_worst(worst->y, fabs(ey));
}

/* Behind the length of trial i there are zeros. */
static void check_padding(const batch *b, const answers *a, int64_t i) {
    const vdi_dtype dt = b->dtype;
    const int64_t B = b->B, T = b->T, d = b->d, dd = d * d, N = T * d;
    const int64_t length = length_of(b, i);
    for (int64_t k = length * d; k < N; k++) {
        CHECK(get(dt, a->x, i * N + k) == 0 && get(dt, a->x, (B + i) * N + k) == 0 &&
                  get(dt, a->z, i * N + k) == 0 && get(dt, a->u, i * N + k) == 0 &&
                  get(dt, a->y, i * N + k) == 0,
              "behind the length stands %g", get(dt, a->x, i * N + k));
    }
    for (int64_t k = length * dd; k < T * dd; k++) {
        CHECK(get(dt, a->S, i * T * dd + k) == 0 && get(dt, a->L, i * T * dd + k) == 0,
              "behind the length stands %g", get(dt, a->S, i * T * dd + k));
    }
    for (int64_t k = VDI__MAX(length - 1, (int64_t)0) * dd; k < (T - 1) * dd; k++) {
        CHECK(get(dt, a->O, i * (T - 1) * dd + k) == 0 && get(dt, a->M, i * (T - 1) * dd + k) == 0,
              "behind the length stands %g", get(dt, a->O, i * (T - 1) * dd + k));
    }
}

static double largest(vdi_dtype dtype, const void *p, int64_t start, int64_t n) {
    double size = 0;
    for (int64_t i = 0; i < n; i++)
        size = fmax(size, fabs(get(dtype, p, start + i)));
    return size;
}

/* Everything that trial i can say, as LAPACK-style ratios: an error over (size n eps).
 * C, K: scratch of (T d, T d). */
static double trial_check(const batch *b, const answers *a, int64_t i, double *C, double *K) {
    const vdi_dtype dt = b->dtype;
    const double eps = dt == VDI_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    const int64_t N = b->T * b->d, length = length_of(b, i), n = length * b->d;
    const double *J = b->J + i * N * N;
    const double logdet = dense_inverse(n, N, J, C, K);
    const double off = fabs(get(dt, a->logdet, i) - logdet);
    const double nJ = norm_inf(n, N, J), nK = norm_inf(n, n, K), unit = eps * (double)(n + 1);
    const double mx = largest(dt, a->x, i * N, n);
    const double mz = largest(dt, a->z, i * N, n);
    const double mu = largest(dt, a->u, i * N, n);
    residuals r = VDI__ZERO;
    double worst = 0;
    for (int64_t t = 0; t < length; t++) {
        for (int64_t row = 0; row < b->d; row++) {
            block_residuals(b, a, i, t, row, K, &r);
            vector_residuals(b, a, i, t, row, &r);
        }
    }
    if (n) {
        worst = test_worst(worst, r.J / (nJ * unit));
        worst = test_worst(worst, r.x / (nJ * mx * unit));
        worst = test_worst(worst, r.y / (nJ * mx * unit));
        worst = test_worst(worst, r.z / (sqrt(nJ) * mz * unit));
        worst = test_worst(worst, r.u / (sqrt(nJ) * mu * unit));
        worst = test_worst(worst, r.S / (nJ * nK * nK * unit));
        worst = test_worst(worst, off / ((double)(n + 1) * (nJ * nK * eps)) / 4);
    } else {
        CHECK(get(dt, a->logdet, i) == 0, "a trial without bins has log determinant %g",
              get(dt, a->logdet, i));
    }
    CHECK(worst < 30,
          "d %d, trials %d, T %d, trial %d of length %d: L %g, x %g, y %g, z %g, u %g, S %g, "
          "log det off by %g",
          (int)b->d, (int)b->B, (int)b->T, (int)i, (int)length, r.J, r.x, r.y, r.z, r.u, r.S, off);
    check_padding(b, a, i);
    return worst;
}

static double batch_check(batch *b) {
    const int64_t N = b->T * b->d;
    const size_t bytes = (size_t)(b->B * N) * vdi_dtype_size(b->dtype);
    double *C = (double *)make(N * N, sizeof(double));
    double *K = (double *)make(N * N, sizeof(double));
    double worst = 0;
    answers a;
    answers_make(b, &a);
    for (int64_t i = 0; i < b->B; i++)
        worst = test_worst(worst, trial_check(b, &a, i, C, K));
    /* the second right-hand side went its own way: the same bits as alone */
    vdi_blocktri_solve(&b->bt, 1, b->eps, a.y);
    CHECK(memcmp(a.y, (char *)a.x + bytes, bytes) == 0,
          "the second right-hand side differs from itself alone");
    answers_free(&a);
    free(C);
    free(K);
    return worst;
}

TEST(blocktri, against_dense_algebra) {
    static const int64_t Ts[] = {1, 2, 3, 5, 8, 13, 33};
    for (int simd = VDI_SIMD_SCALAR; simd < VDI_SIMD_COUNT; simd++) {
        if (vdi_simd_set((vdi_simd)simd) < 0) continue;
        double worst = 0;
        size_t cases = 0;
        for (int real = 0; real < 2; real++) {
            for (int64_t d = 1; d <= 16; d++) {
                for (int64_t B = 1; B <= 17; B++) {
                    for (size_t k = 0; k < VDI__COUNT(Ts); k++) {
                        const int64_t T =
                            (Ts[k] + B) % 34 ? (k == 6 ? 33 : 1 + (Ts[k] * 3 + B + d) % 33) : 1;
                        if (T * d > 200 || (T * d > 60 && (B + d + (int64_t)k) % 4)) continue;
                        if (simd != (int)vdi_simd_active() || (d + B + (int64_t)k) % 3 ||
                            !test_chosen(cases++))
                            continue;
                        batch b;
                        batch_make(&b, real ? VDI_F64 : VDI_F32, B, T, d, (d + B) % 2 != 0, 1.0,
                                   NULL);
                        worst = test_worst(worst, batch_check(&b));
                        batch_free(&b);
                    }
                }
            }
        }
        CHECK(worst < 30, "worst ratio %g on %s", worst, vdi_simd_name((vdi_simd)simd));
    }
    (void)vdi_simd_set(VDI_SIMD_AUTO);
}

/* Rows of several tiles and strips, with rests of each kind; the last is large enough for memory to
 * be asked ahead. */
TEST(blocktri, large_blocks) {
    static const int64_t sizes[][2] = {{3, 17}, {2, 23}, {3, 32}, {3, 33},
                                       {2, 35}, {2, 42}, {7, 50}};
    for (int simd = VDI_SIMD_SCALAR; simd < VDI_SIMD_COUNT; simd++) {
        if (vdi_simd_set((vdi_simd)simd) < 0 || simd != (int)vdi_simd_active()) continue;
        double worst = 0;
        for (size_t i = 0; i < 2 * VDI__COUNT(sizes); i++) {
            const int64_t *size = sizes[i / 2];
            batch b;
            batch_make(&b, i % 2 ? VDI_F64 : VDI_F32, 1, size[0], size[1], 0, 1.0, NULL);
            worst = test_worst(worst, batch_check(&b));
            batch_free(&b);
        }
        CHECK(worst < 30, "worst ratio %g on %s", worst, vdi_simd_name((vdi_simd)simd));
    }
    (void)vdi_simd_set(VDI_SIMD_AUTO);
}

/* ---- many right-hand sides ------------------------------------------------------------------- */

enum { MOST = 9 }; /* right-hand sides at once */

/* A factorised batch, MOST right-hand sides of it, and space for what comes of them. */
typedef struct many {
    batch b;
    int64_t N, blocks;       /* elements of a right-hand side and of D */
    size_t bytes;            /* of a right-hand side */
    char *h, *all, *one;     /* (MOST, N) */
    char *bar[2], *block[2]; /* cotangents, [0] from each alone: (MOST, N); of D and then of E */
    void *work;
} many;

static void many_make(many *m, vdi_dtype dtype, int64_t B, int64_t d, int ragged, seed_t s) {
    const int64_t T = 5;
    const size_t real = vdi_dtype_size(dtype);
    vdi_error err;
    batch_make(&m->b, dtype, B, T, d, ragged, 1.0, NULL);
    CHECK_OK(vdi_blocktri_factor(&m->b.bt, m->b.D, m->b.E, &err), err);
    m->N = B * T * d;
    m->blocks = m->N * d;
    m->bytes = (size_t)m->N * real;
    m->h = (char *)make(MOST * m->N, real);
    m->all = (char *)make(MOST * m->N, real);
    m->one = (char *)make(MOST * m->N, real);
    for (int i = 0; i < 2; i++) {
        m->bar[i] = (char *)make(MOST * m->N, real);
        m->block[i] = (char *)make(2 * m->blocks, real);
    }
    m->work = make((int64_t)vdi_blocktri_adjoint_worksize(&m->b.desc), 1);
    for (int64_t k = 0; k < MOST * m->N; k++)
        vdi_dtype_store(dtype, m->h, k, test_normal(&s));
}

static void many_free(many *m) {
    free(m->h);
    free(m->all);
    free(m->one);
    for (int i = 0; i < 2; i++) {
        free(m->bar[i]);
        free(m->block[i]);
    }
    free(m->work);
    batch_free(&m->b);
}

static const struct {
    const char *name;
    void (*forward)(const vdi_blocktri *, int64_t, const void *, void *);
    void (*adjoint)(const vdi_blocktri *, int64_t, const void *, const void *, void *, void *,
                    void *, void *);
} solvers[] = {{"solve", vdi_blocktri_solve, vdi_blocktri_solve_adjoint},
               {"lower", vdi_blocktri_solve_lower, NULL},
               {"sample", vdi_blocktri_sample, vdi_blocktri_sample_adjoint}};

static void many_check(many *m, size_t what, int64_t nrhs) {
    const char *path = vdi_simd_name(vdi_simd_active());
    const vdi_blocktri *bt = &m->b.bt;
    const vdi_dtype dt = m->b.dtype;
    const size_t real = vdi_dtype_size(dt);
    solvers[what].forward(bt, nrhs, m->h, m->all);
    for (size_t k = 0; k < (size_t)nrhs; k++)
        solvers[what].forward(bt, 1, m->h + k * m->bytes, m->one + k * m->bytes);
    CHECK(!memcmp(m->all, m->one, (size_t)nrhs * m->bytes),
          "%s, d %d, trials %d: %s with %d right-hand sides differs", path, (int)m->b.d,
          (int)m->b.B, solvers[what].name, (int)nrhs);
    if (!solvers[what].adjoint) return;
    for (int i = 0; i < 2; i++) {
        memset(m->bar[i], 0, MOST * m->bytes);
        memset(m->block[i], 0, (size_t)(2 * m->blocks) * real);
    }
    char *E[2] = {m->block[0] + (size_t)m->blocks * real, m->block[1] + (size_t)m->blocks * real};
    for (size_t k = 0; k < (size_t)nrhs; k++) {
        const size_t at = k * m->bytes;
        solvers[what].adjoint(bt, 1, m->all + at, m->h + at, m->work, m->bar[0] + at, m->block[0],
                              E[0]);
    }
    solvers[what].adjoint(bt, nrhs, m->all, m->h, m->work, m->bar[1], m->block[1], E[1]);
    CHECK(!memcmp(m->bar[0], m->bar[1], (size_t)nrhs * m->bytes),
          "%s, d %d: adjoints of %d right-hand sides differ", path, (int)m->b.d, (int)nrhs);
    const double size = largest(dt, m->block[0], 0, 2 * m->blocks);
    double worst = 0;
    for (int64_t k = 0; k < 2 * m->blocks; k++)
        worst = test_worst(worst, fabs(get(dt, m->block[0], k) - get(dt, m->block[1], k)));
    CHECK(worst <= 100 * size * (real == 8 ? DBL_EPSILON : (double)FLT_EPSILON),
          "%s, d %d: cotangents of D and E with %d right-hand sides are off by %g of %g", path,
          (int)m->b.d, (int)nrhs, worst, size);
}

/* 1 to 9 right-hand sides at once, on every path: the bits of each alone (which batch_check holds
 * against dense algebra), and adjoints that add up to those of each alone. */
TEST(blocktri, many_right_hand_sides) {
    static const int64_t ds[] = {1, 2, 3, 4, 5, 8, 9, 17}, Bs[] = {1, 2, 9};
    size_t cases = 0;
    for (int simd = VDI_SIMD_SCALAR; simd < VDI_SIMD_COUNT; simd++) {
        if (vdi_simd_set((vdi_simd)simd) < 0 || simd != (int)vdi_simd_active()) continue;
        for (size_t i = 0; i < 2 * VDI__COUNT(ds) * VDI__COUNT(Bs); i++) {
            if (!test_chosen(cases++)) continue;
            many m;
            many_make(&m, i % 2 ? VDI_F64 : VDI_F32, Bs[i / 2 / VDI__COUNT(ds)],
                      ds[i / 2 % VDI__COUNT(ds)], i % 4 == 1, (seed_t)(77 + i));
            for (size_t what = 0; what < VDI__COUNT(solvers); what++) {
                for (int64_t nrhs = 1; nrhs <= MOST; nrhs++)
                    many_check(&m, what, nrhs);
            }
            many_free(&m);
        }
    }
    (void)vdi_simd_set(VDI_SIMD_AUTO);
}

/* ---- adjoints -------------------------------------------------------------------------------- */

enum { LOGDET = 1, SOLVE = 2, SAMPLE = 4, MARGINALS = 8, FACTOR = 16, ALL = 31 };

typedef struct weights {
    double *ld, *x, *z, *S, *O, *L, *M;
} weights;

/* An input of the functional: its elements, where they start, where they move, its cotangent. */
typedef struct input {
    int64_t n;
    double *value, *start, *direction, *bar;
} input;
enum { IN_D, IN_E, IN_H, IN_EPS, INPUTS };

static double dot(int64_t n, const double *a, const double *b) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* F = sum of fixed weights times outputs, of the parts asked for; with `gradient`, the cotangents
 * of the inputs by vdi's adjoints. */
static double functional(batch *b, int parts, int64_t nrhs, const weights *w, input *in,
                         bool gradient) {
    const int64_t N = b->B * b->T * b->d;
    const int64_t diagonal = in[IN_D].n, below = in[IN_E].n, rhs = in[IN_H].n;
    double *ld = (double *)make(b->B, 8);
    double *x = (double *)make(rhs, 8);
    double *z = (double *)make(rhs, 8);
    double *S = (double *)make(N * b->d, 8);
    double *O = (double *)make(N * b->d, 8);
    double *L = (double *)make(N * b->d, 8);
    double *M = (double *)make(N * b->d, 8);
    double F = 0;
    vdi_error err;
    CHECK_OK(vdi_blocktri_factor(&b->bt, b->D, b->E, &err), err);
    vdi_blocktri_logdet(&b->bt, ld);
    vdi_blocktri_solve(&b->bt, nrhs, in[IN_H].value, x);
    vdi_blocktri_sample(&b->bt, nrhs, in[IN_EPS].value, z);
    vdi_blocktri_marginals(&b->bt, S, O);
    vdi_blocktri_get_factor(&b->bt, L, M);
    if (parts & LOGDET) F += dot(b->B, w->ld, ld);
    if (parts & SOLVE) F += dot(rhs, w->x, x);
    if (parts & SAMPLE) F += dot(rhs, w->z, z);
    if (parts & MARGINALS) F += dot(diagonal, w->S, S) + dot(below, w->O, O);
    if (parts & FACTOR) F += dot(diagonal, w->L, L) + dot(below, w->M, M);
    if (gradient) {
        void *work = make((int64_t)vdi_blocktri_adjoint_worksize(&b->desc), 1);
        double *D = in[IN_D].bar, *E = in[IN_E].bar;
        for (int i = 0; i < INPUTS; i++)
            memset(in[i].bar, 0, (size_t)in[i].n * 8);
        if (parts & LOGDET) vdi_blocktri_logdet_adjoint(&b->bt, w->ld, work, D, E);
        if (parts & SOLVE)
            vdi_blocktri_solve_adjoint(&b->bt, nrhs, x, w->x, work, in[IN_H].bar, D, E);
        if (parts & SAMPLE)
            vdi_blocktri_sample_adjoint(&b->bt, nrhs, z, w->z, work, in[IN_EPS].bar, D, E);
        if (parts & MARGINALS) vdi_blocktri_marginals_adjoint(&b->bt, S, O, w->S, w->O, work, D, E);
        if (parts & FACTOR) vdi_blocktri_factor_adjoint(&b->bt, w->L, w->M, work, D, E);
        free(work);
    }
    free(ld);
    free(x);
    free(z);
    free(S);
    free(O);
    free(L);
    free(M);
    return F;
}

static double *noise(seed_t *s, int64_t n) {
    double *p = (double *)make(n, 8);
    for (int64_t i = 0; i < n; i++)
        p[i] = test_normal(s);
    return p;
}

static void input_make(input *in, int64_t n, double *value, seed_t *s) {
    in->n = n;
    in->value = value;
    in->direction = noise(s, n);
    in->bar = noise(s, n); /* overwritten */
    in->start = (double *)make(n, 8);
    memcpy(in->start, value, (size_t)n * 8);
}

static void input_free(input *in) {
    free(in->start);
    free(in->direction);
    free(in->bar);
}

/* Cotangents of symmetric blocks are symmetric; so has to be a direction. */
static void check_symmetric(int64_t blocks, int64_t d, const double *bar) {
    for (int64_t t = 0; t < blocks; t++) {
        const double *p = bar + t * d * d;
        for (int64_t i = 0; i < d; i++) {
            for (int64_t j = 0; j < i; j++) {
                CHECK(fabs(p[i * d + j] - p[j * d + i]) <= 1e-12 * (1 + fabs(p[i * d + j])),
                      "Dbar is not symmetric");
            }
        }
    }
}

static void make_symmetric(int64_t blocks, int64_t d, double *direction) {
    for (int64_t t = 0; t < blocks; t++) {
        double *p = direction + t * d * d;
        for (int64_t i = 0; i < d; i++) {
            for (int64_t j = 0; j < i; j++)
                p[j * d + i] = p[i * d + j];
        }
    }
}

/* dF along a random direction: <gradient, direction> against five-point differences. */
static void adjoint_check(int64_t B, int64_t T, int64_t d, int ragged, int parts, int64_t nrhs) {
    const int64_t dd = d * d, N = B * T * d;
    seed_t s = (seed_t)(1234567 + B + 100 * T + 10000 * d);
    input in[INPUTS];
    batch b;
    batch_make(&b, VDI_F64, B, T, d, ragged, 0.8, NULL);
    weights w;
    w.ld = noise(&s, B);
    w.x = noise(&s, nrhs * N);
    w.z = noise(&s, nrhs * N);
    w.S = noise(&s, N * d);
    w.O = noise(&s, N * d);
    w.L = noise(&s, N * d);
    w.M = noise(&s, N * d);
    double *h = noise(&s, nrhs * N), *eps = noise(&s, nrhs * N);
    input_make(&in[IN_D], N * d, (double *)b.D, &s);
    input_make(&in[IN_E], B * (T - 1) * dd, (double *)b.E, &s);
    input_make(&in[IN_H], nrhs * N, h, &s);
    input_make(&in[IN_EPS], nrhs * N, eps, &s);
    make_symmetric(B * T, d, in[IN_D].direction);

    (void)functional(&b, parts, nrhs, &w, in, true);
    double expected = 0, size = 0;
    for (int k = 0; k < INPUTS; k++) {
        for (int64_t i = 0; i < in[k].n; i++) {
            expected += in[k].bar[i] * in[k].direction[i];
            size += fabs(in[k].bar[i] * in[k].direction[i]);
        }
    }
    check_symmetric(B * T, d, in[IN_D].bar);

    const double step = 2e-4;
    const double at[4] = {-2, -1, 1, 2};
    const double coefficient[4] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    double slope = 0;
    for (int p = 0; p < 4; p++) {
        for (int k = 0; k < INPUTS; k++) { /* beyond a length the NaN stay */
            for (int64_t i = 0; i < in[k].n; i++)
                in[k].value[i] = in[k].start[i] + at[p] * step * in[k].direction[i];
        }
        slope += coefficient[p] * functional(&b, parts, nrhs, &w, in, false) / step;
    }
    CHECK(fabs(slope - expected) <= 1e-9 * (1 + size),
          "parts %d, trials %d, T %d, d %d: adjoint %.12g, differences %.12g (size %g)", parts,
          (int)B, (int)T, (int)d, expected, slope, size);
    for (int k = 0; k < INPUTS; k++)
        input_free(&in[k]);
    free(h);
    free(eps);
    free(w.ld);
    free(w.x);
    free(w.z);
    free(w.S);
    free(w.O);
    free(w.L);
    free(w.M);
    batch_free(&b);
}

TEST(blocktri, adjoints_by_differences) {
    for (int part = LOGDET; part <= FACTOR; part *= 2) {
        adjoint_check(1, 1, 1, 0, part, 1);
        adjoint_check(1, 4, 2, 0, part, 2);
        adjoint_check(1, 3, 5, 0, part, 1);
        adjoint_check(1, 3, 19, 0, part, 2);
        adjoint_check(2, 5, 1, 0, part, 1);
        adjoint_check(3, 4, 3, 1, part, 2);
        adjoint_check(9, 5, 4, 1, part, 1);
        adjoint_check(17, 3, 6, 1, part, 3);
        adjoint_check(8, 4, 9, 0, part, 1);
    }
    adjoint_check(5, 7, 4, 1, ALL, 2);
}

/* <a, b> against <c, d>, and how large the terms of the first are. */
typedef struct products {
    double left, right, size;
} products;

static void products_add(products *p, double weight, int64_t n, const double *a, const double *b,
                         const double *c, const double *d) {
    for (int64_t i = 0; i < n; i++) {
        p->left += weight * a[i] * b[i];
        p->right += weight * c[i] * d[i];
        p->size += fabs(a[i] * b[i]);
    }
}

/* What is linear must be so exactly: <xbar, J^{-1} v> = <hbar, v>, for a solution and for a
 * sample. */
static void solution_products(const batch *b, seed_t *s, void *work) {
    static const size_t linear[] = {0, 2}; /* of solvers */
    const int64_t N = b->B * b->T * b->d;
    double *v = noise(s, N);
    double *xbar = noise(s, N);
    double *x = noise(s, N);
    double *hbar = (double *)make(N, 8);
    for (size_t i = 0; i < VDI__COUNT(linear); i++) {
        products p = VDI__ZERO;
        memset(hbar, 0, (size_t)N * 8);
        solvers[linear[i]].forward(&b->bt, 1, v, x);
        solvers[linear[i]].adjoint(&b->bt, 1, x, xbar, work, hbar, NULL, NULL);
        products_add(&p, 1, N, hbar, v, xbar, x);
        CHECK(fabs(p.left - p.right) <= 1e-13 * p.size, "%s: %.17g and %.17g",
              solvers[linear[i]].name, p.left, p.right);
    }
    free(v);
    free(xbar);
    free(x);
    free(hbar);
}

/* The map from J to the blocks of its inverse has a symmetric derivative. */
static void marginal_products(const batch *b, seed_t *s, void *work) {
    const int64_t diagonal = b->B * b->T * b->d * b->d;
    const int64_t below = b->B * (b->T - 1) * b->d * b->d;
    double *S = noise(s, diagonal);
    double *O = noise(s, diagonal);
    double *X = noise(s, diagonal);
    double *Xo = noise(s, diagonal);
    double *Y = noise(s, diagonal);
    double *Yo = noise(s, diagonal);
    double *XD = (double *)make(diagonal, 8);
    double *XE = (double *)make(diagonal, 8);
    double *YD = (double *)make(diagonal, 8);
    double *YE = (double *)make(diagonal, 8);
    products p = VDI__ZERO;
    vdi_blocktri_marginals(&b->bt, S, O);
    vdi_blocktri_marginals_adjoint(&b->bt, S, O, X, Xo, work, XD, XE);
    vdi_blocktri_marginals_adjoint(&b->bt, S, O, Y, Yo, work, YD, YE);
    /* E and O count twice in the inner product of matrices; Xo is half of what stands in each
     * place */
    products_add(&p, 1, diagonal, XD, Y, YD, X);
    products_add(&p, 0.5, below, XE, Yo, YE, Xo);
    CHECK(fabs(p.left - p.right) <= 1e-12 * p.size, "marginals: %.17g and %.17g", p.left, p.right);
    free(S);
    free(O);
    free(X);
    free(Xo);
    free(Y);
    free(Yo);
    free(XD);
    free(XE);
    free(YD);
    free(YE);
}

TEST(blocktri, adjoints_by_products) {
    for (int64_t B = 1; B <= 9; B += 4) {
        for (int64_t d = 1; d <= 7; d += 3) {
            seed_t s = (seed_t)(77 + d + B);
            vdi_error err;
            batch b;
            batch_make(&b, VDI_F64, B, 6, d, 0, 1.0, NULL);
            void *work = make((int64_t)vdi_blocktri_adjoint_worksize(&b.desc), 1);
            CHECK_OK(vdi_blocktri_factor(&b.bt, b.D, b.E, &err), err);
            solution_products(&b, &s, work);
            marginal_products(&b, &s, work);
            free(work);
            batch_free(&b);
        }
    }
}

/* ---- bits ------------------------------------------------------------------------------------ */

/* All outputs of one batch, one after the other; `width` elements of each belong to a trial. */
enum { OUTPUTS = 9 };
typedef struct outputs {
    double *data;
    int64_t count;
    struct {
        int64_t start, width;
    } part[OUTPUTS];
} outputs;

static outputs everything(batch *b) {
    const int64_t vector = b->T * b->d;
    const int64_t diagonal = vector * b->d;
    const int64_t below = (b->T - 1) * b->d * b->d;
    enum { LD, X, Z, S, O, L, M, DBAR, EBAR };
    const int64_t width[OUTPUTS] = {1,        vector, vector,   diagonal, below,
                                    diagonal, below,  diagonal, below};
    double *at[OUTPUTS];
    void *work = make((int64_t)vdi_blocktri_adjoint_worksize(&b->desc), 1);
    outputs out = VDI__ZERO;
    vdi_error err;
    for (int k = 0; k < OUTPUTS; k++) {
        out.part[k].start = out.count;
        out.part[k].width = width[k];
        out.count += b->B * width[k];
    }
    out.data = (double *)make(out.count, 8);
    for (int k = 0; k < OUTPUTS; k++)
        at[k] = out.data + out.part[k].start;
    CHECK_OK(vdi_blocktri_factor(&b->bt, b->D, b->E, &err), err);
    vdi_blocktri_logdet(&b->bt, at[LD]);
    vdi_blocktri_solve(&b->bt, 1, b->h, at[X]);
    vdi_blocktri_sample(&b->bt, 1, b->eps, at[Z]);
    vdi_blocktri_marginals(&b->bt, at[S], at[O]);
    vdi_blocktri_get_factor(&b->bt, at[L], at[M]);
    vdi_blocktri_sample_adjoint(&b->bt, 1, at[Z], b->h, work, NULL, at[DBAR], at[EBAR]);
    vdi_blocktri_marginals_adjoint(&b->bt, at[S], at[O], at[S], at[O], work, at[DBAR], at[EBAR]);
    free(work);
    return out;
}

/* The trials of `from` in reverse order. */
static void reverse_trials(batch *to, const batch *from) {
    const int64_t B = from->B, vector = from->T * from->d;
    const int64_t diagonal = vector * from->d, below = (from->T - 1) * from->d * from->d;
    vdi_error err;
    for (int64_t i = 0; i < B; i++) {
        const int64_t j = B - 1 - i;
        memcpy((double *)to->D + i * diagonal, (double *)from->D + j * diagonal,
               (size_t)diagonal * 8);
        memcpy((double *)to->E + i * below, (double *)from->E + j * below, (size_t)below * 8);
        memcpy((double *)to->h + i * vector, (double *)from->h + j * vector, (size_t)vector * 8);
        memcpy((double *)to->eps + i * vector, (double *)from->eps + j * vector,
               (size_t)vector * 8);
        to->lengths[i] = from->lengths[j];
    }
    CHECK_OK(vdi_blocktri_init(&to->bt, &to->desc, to->mem, vdi_blocktri_memsize(&to->desc), &err),
             err);
}

static void same_bits(int64_t d, int64_t B) {
    vdi_pool *pool = NULL;
    vdi_error err;
    batch one, many;
    CHECK_OK(vdi_pool_create(3, NULL, &pool, &err), err);
    batch_make(&one, VDI_F64, B, 9, d, 1, 1.0, NULL);
    batch_make(&many, VDI_F64, B, 9, d, 1, 1.0, pool);
    outputs a = everything(&one), c = everything(&many);
    CHECK(memcmp(a.data, c.data, (size_t)a.count * 8) == 0,
          "threads show in the bits at d %d, trials %d", (int)d, (int)B);
    /* nobody may notice their neighbours or their lane */
    reverse_trials(&many, &one);
    outputs r = everything(&many);
    for (int k = 0; k < OUTPUTS; k++) {
        const int64_t width = a.part[k].width;
        for (int64_t i = 0; i < B; i++) {
            CHECK(memcmp(a.data + a.part[k].start + i * width,
                         r.data + r.part[k].start + (B - 1 - i) * width, (size_t)width * 8) == 0,
                  "output %d of trial %d depends on the batch (d %d, trials %d)", k, (int)i, (int)d,
                  (int)B);
        }
    }
    free(a.data);
    free(c.data);
    free(r.data);
    batch_free(&one);
    batch_free(&many);
    vdi_pool_destroy(pool);
}

TEST(blocktri, same_bits) {
    for (int64_t d = 1; d <= 20; d += d < 5 ? 1 : 5) {
        for (int64_t B = 3; B <= 21; B += 9)
            same_bits(d, B);
    }
}

/* ---- trouble --------------------------------------------------------------------------------- */

TEST(blocktri, ill_conditioned) {
    for (int64_t B = 1; B <= 5; B += 4) {
        for (int64_t d = 2; d <= 9; d++) {
            batch b;
            batch_make(&b, VDI_F64, B, 6, d, 0, 1.0, NULL);
            for (int64_t t = 0; t < B * 6; t++) {
                /* J = C J0 C with C from 1 to 1e-6 within each block: condition about 1e12 and
                 * more */
                for (int64_t i = 0; i < d; i++) {
                    for (int64_t j = 0; j < d; j++) {
                        const double c = pow(10, -6.0 * (double)(i + j) / (double)(d - 1));
                        ((double *)b.D)[(t * d + i) * d + j] *= c;
                        if (t % 6 < 5) ((double *)b.E)[((t / 6 * 5 + t % 6) * d + i) * d + j] *= c;
                    }
                }
            }
            const int64_t n = 6 * d;
            for (int64_t i = 0; i < B * n; i++) {
                for (int64_t j = 0; j < n; j++)
                    b.J[i * n + j] *= pow(10, -6.0 * (double)(i % d + j % d) / (double)(d - 1));
            }
            CHECK(batch_check(&b) < 30, "d %d", (int)d);
            batch_free(&b);
        }
    }
}

TEST(blocktri, not_positive_definite) {
    for (int64_t B = 1; B <= 11; B += 5) {
        for (int64_t d = 1; d <= 18; d += d < 9 ? 1 : 9) {
            for (int kind = 0; kind < 4; kind++) {
                const int64_t T = 7;
                const int64_t trial = B / 2;
                const int64_t block = 4;
                const int64_t pivot = d - 1;
                const int64_t N = B * T * d;
                batch b;
                vdi_error err;
                char expected[80];
                batch_make(&b, VDI_F64, B, T, d, 0, 1.0, NULL);
                double *bad = (double *)b.D + ((trial * T + block) * d + pivot) * d + pivot;
                double kept = *bad;
                double *x = (double *)make(N, 8), *y = (double *)make(N, 8);
                CHECK_OK(vdi_blocktri_factor(&b.bt, b.D, b.E, &err), err);
                vdi_blocktri_solve(&b.bt, 1, b.h, x);
                *bad = kind == 0 ? -100 : kind == 1 ? (double)NAN : kind == 2 ? HUGE_VAL : 0;
                memset(&err, 0, sizeof err);
                CHECK_FAILS(vdi_blocktri_factor(&b.bt, b.D, b.E, &err),
                            VDI_ERR_NOT_POSITIVE_DEFINITE);
                snprintf(expected, sizeof expected, "trial %d, block %d (of 0..%d): pivot %d is ",
                         (int)trial, (int)block, (int)T - 1, (int)pivot);
                CHECK(strncmp(err.message, expected, strlen(expected)) == 0,
                      "said '%s', not '%s...'", err.message, expected);
                CHECK(err.status == VDI_ERR_NOT_POSITIVE_DEFINITE &&
                          !strcmp(err.where, "vdi_blocktri_factor"),
                      "where is '%s'", err.where);
                vdi_blocktri_solve(&b.bt, 1, b.h, y);
                CHECK(y[0] != y[0] && y[N - 1] != y[N - 1],
                      "without a factor the answer is not NaN");
                *bad = kept; /* and the object is as good as before */
                CHECK_OK(vdi_blocktri_factor(&b.bt, b.D, b.E, &err), err);
                vdi_blocktri_solve(&b.bt, 1, b.h, y);
                CHECK(memcmp(x, y, (size_t)N * 8) == 0, "another factor after the failure");
                free(x);
                free(y);
                batch_free(&b);
            }
        }
    }
}

/* Does the number behind the last of `n` still stand? */
static void check_end(const batch *b, const void *p, int64_t n, const char *what) {
    CHECK(get(b->dtype, p, n) == 77, "%s of %d trials, %d bins, d %d: %g behind the end", what,
          (int)b->B, (int)b->T, (int)b->d, get(b->dtype, p, n));
}

TEST(blocktri, outputs_end_where_they_end) {
    for (int k = 0; k < 2 * 9 * 3 * 5; k++) {
        const int64_t B = 1 + k / 2 % 9, T = 1 + k / 18 % 3, d = 1 + k / 54;
        const int64_t vectors = B * T * d, blocks = vectors * d, below = B * (T - 1) * d * d;
        batch b;
        batch_make(&b, k % 2 ? VDI_F32 : VDI_F64, B, T, d, 0, 0.4, NULL);
        const size_t size = vdi_dtype_size(b.dtype);
        void *x = make(vectors, size), *y = make(vectors, size), *z = make(vectors, size);
        void *S = make(blocks, size), *O = make(below, size), *logdet = make(B, size);
        vdi_dtype_store(b.dtype, x, vectors, 77);
        vdi_dtype_store(b.dtype, y, vectors, 77);
        vdi_dtype_store(b.dtype, z, vectors, 77);
        vdi_dtype_store(b.dtype, S, blocks, 77);
        vdi_dtype_store(b.dtype, O, below, 77);
        vdi_dtype_store(b.dtype, logdet, B, 77);
        vdi_error err;
        CHECK_OK(vdi_blocktri_factor(&b.bt, b.D, b.E, &err), err);
        vdi_blocktri_solve(&b.bt, 1, b.h, x);
        vdi_blocktri_matvec(&b.bt, b.D, b.E, 1, x, y);
        vdi_blocktri_sample(&b.bt, 1, b.h, z);
        vdi_blocktri_marginals(&b.bt, S, O);
        vdi_blocktri_logdet(&b.bt, logdet);
        for (int64_t i = 0; i < vectors; i++)
            CHECK_CLOSE(get(b.dtype, y, i), get(b.dtype, b.h, i), k % 2 ? 1e-4 : 1e-12);
        check_end(&b, x, vectors, "solve");
        check_end(&b, y, vectors, "matvec");
        check_end(&b, z, vectors, "sample");
        check_end(&b, S, blocks, "S");
        check_end(&b, O, below, "O");
        check_end(&b, logdet, B, "logdet");
        free(x);
        free(y);
        free(z);
        free(S);
        free(O);
        free(logdet);
        batch_free(&b);
    }
}

TEST(blocktri, bad_descriptions) {
    vdi_blocktri_desc desc = VDI__ZERO;
    vdi_blocktri bt;
    vdi_error err;
    static double mem[4096];
    int64_t lengths[2] = {3, 5};
    desc.dtype = VDI_F64;
    desc.trials = 2;
    desc.T = 4;
    desc.d = 2;
    const size_t size = vdi_blocktri_memsize(&desc);
    CHECK(size < sizeof mem, "needs %zu", size);
    CHECK_FAILS(vdi_blocktri_init(&bt, &desc, mem, size - 1, &err), VDI_ERR_MEMORY);
    CHECK(strstr(err.message, "are needed") != NULL, "said '%s'", err.message);
    CHECK_FAILS(vdi_blocktri_init(&bt, &desc, NULL, size, &err), VDI_ERR_MEMORY);
    CHECK_FAILS(vdi_blocktri_init(NULL, &desc, mem, size, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "bt is NULL") == 0, "said '%s'", err.message);
    CHECK_FAILS(vdi_blocktri_init(&bt, NULL, mem, size, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "desc is NULL") == 0, "said '%s'", err.message);
    CHECK_FAILS(vdi_blocktri_factor(&bt, mem, mem, &err), VDI_ERR_STATE);
    CHECK_OK(vdi_blocktri_init(&bt, &desc, (char *)mem + 1, size, &err), err); /* any alignment */
    CHECK_FAILS(vdi_blocktri_factor(&bt, NULL, mem, &err), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_blocktri_factor(&bt, mem, NULL, &err), VDI_ERR_ARGUMENT);
    desc.lengths = lengths;
    CHECK_FAILS(vdi_blocktri_init(&bt, &desc, mem, sizeof mem, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "lengths[1] is 5, expected 0 to T = 4") == 0, "said '%s'",
          err.message);
    desc.lengths = NULL;
    for (int k = 0; k < 8; k++) {
        vdi_blocktri_desc wrong = desc;
        if (k == 0) wrong.trials = 0;
        if (k == 1) wrong.T = 0;
        if (k == 2) wrong.d = 0;
        if (k == 3) wrong.d = -1;
        if (k == 4) wrong.T = INT64_MAX;
        if (k == 5) wrong.trials = INT64_MAX;
        if (k == 6) wrong.d = INT64_MAX;
        if (k == 7) wrong.dtype = VDI_I64;
        CHECK(vdi_blocktri_memsize(&wrong) == SIZE_MAX &&
                  vdi_blocktri_adjoint_worksize(&wrong) == SIZE_MAX,
              "case %d was measured", k);
        CHECK_FAILS(vdi_blocktri_init(&bt, &wrong, mem, sizeof mem, &err),
                    k == 7 ? VDI_ERR_DTYPE : VDI_ERR_ARGUMENT);
    }
}

/* ---- references ------------------------------------------------------------------------------ */

static void compare_reference(const char *set, const char *what, const double *got) {
    vdi_tensor expected = lds_array(set, what);
    const int64_t n = vdi_tensor_count(expected);
    const double worst = largest_difference(got, (const double *)expected.data, n);
    CHECK(n > 0, "%s_%s is empty", set, what);
    CHECK(worst <= 1e-10, "%s_%s is off by %g", set, what, worst);
    vdi_tensor_free(NULL, &expected);
}

/* `copies` of a reference's input, one after the other. */
static double *reference_input(const char *set, const char *what, int64_t n, int64_t copies) {
    vdi_tensor one = lds_array(set, what);
    CHECK(vdi_tensor_count(one) == n, "%s_%s holds %d", set, what, (int)vdi_tensor_count(one));
    double *all = (double *)make(copies * n, 8);
    for (int64_t i = 0; i < copies; i++)
        memcpy(all + i * n, one.data, (size_t)n * 8);
    vdi_tensor_free(NULL, &one);
    return all;
}

static void reference_check(const char *set, int64_t T, int64_t d, int64_t B) {
    const int64_t diagonal = T * d * d;
    const int64_t below = (T - 1) * d * d;
    const int64_t n = T * d;
    double *D = reference_input(set, "D", diagonal, B);
    double *E = reference_input(set, "E", below, B);
    double *h = reference_input(set, "h", n, B);
    double *eps = reference_input(set, "eps", n, B);
    double *ld = (double *)make(B, 8);
    double *x = (double *)make(B * n, 8);
    double *z = (double *)make(B * n, 8);
    double *S = (double *)make(B * diagonal, 8);
    double *O = (double *)make(B * diagonal, 8);
    double *L = (double *)make(B * diagonal, 8);
    double *M = (double *)make(B * diagonal, 8);
    vdi_blocktri_desc desc = VDI__ZERO;
    vdi_blocktri bt;
    vdi_error err;
    desc.dtype = VDI_F64;
    desc.trials = B;
    desc.T = T;
    desc.d = d;
    const size_t size = vdi_blocktri_memsize(&desc);
    void *mem = make((int64_t)size, 1);
    CHECK_OK(vdi_blocktri_init(&bt, &desc, mem, size, &err), err);
    CHECK_OK(vdi_blocktri_factor(&bt, D, E, &err), err);
    vdi_blocktri_get_factor(&bt, L, M);
    vdi_blocktri_logdet(&bt, ld);
    vdi_blocktri_solve(&bt, 1, h, x);
    vdi_blocktri_sample(&bt, 1, eps, z);
    vdi_blocktri_marginals(&bt, S, O);
    for (int64_t b = 0; b < B; b += 8) {
        compare_reference(set, "L", L + b * diagonal);
        compare_reference(set, "M", M + b * below);
        compare_reference(set, "S", S + b * diagonal);
        compare_reference(set, "O", O + b * below);
        compare_reference(set, "solve", x + b * n);
        compare_reference(set, "sample", z + b * n);
        compare_reference(set, "logdet", ld + b);
    }
    void *all[] = {D, E, h, eps, ld, x, z, S, O, L, M, mem};
    for (size_t i = 0; i < VDI__COUNT(all); i++)
        free(all[i]);
}

TEST(blocktri, references) {
    NEED_SHARED("data/lds/bt1_D.npy");
    for (int64_t B = 1; B <= 9; B += 8) { /* alone, and nine times the same in lanes */
        reference_check("bt1", 60, 3, B);
        reference_check("bt2", 40, 8, B);
        reference_check("bt3", 500, 1, B);
    }
}
