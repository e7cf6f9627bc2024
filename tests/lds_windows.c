/* tests/lds_windows.c - trials that are worked on in windows, against the same trials as a whole */
#include "check.h"

enum { TRIALS = 7, BINS = 90, CHANNELS = 4, LATENTS = 3, INPUTS = 2 };

typedef struct window_case {
    vdi_lds *lds;
    vdi_lds_data *whole, *windows;
    int64_t T;
} window_case;

static double *reals(int64_t n) { return (double *)calloc((size_t)n, sizeof(double)); }

/* Both are near, in units of the largest; gives them back. */
static void compare(double *a, double *b, int64_t count, double bound, const char *what,
                    const char *of) {
    double scale = 0, apart = 0;
    for (int64_t i = 0; i < count; i++) {
        scale = fmax(scale, fabs(a[i]));
        apart = fmax(apart, fabs(a[i] - b[i]));
    }
    CHECK(scale > 0 && apart <= bound * scale, "%s: %s are %g apart, of %g", of, what, apart,
          scale);
    free(a);
    free(b);
}

static vdi_lds *model(int64_t inputs, bool diagonal, unsigned long long seed) {
    vdi_lds_desc desc = VDI__ZERO;
    vdi_lds *p = NULL;
    vdi_error err = VDI__ZERO;
    desc.d = LATENTS;
    desc.n = CHANNELS;
    desc.inputs = inputs;
    desc.diagonal_r = diagonal;
    CHECK_OK(vdi_lds_create(&desc, &p, &err), err);
    for (int64_t i = 0; i < LATENTS * LATENTS; i++)
        p->A[i] = (i % (LATENTS + 1) ? 0 : 0.9) + 0.05 * test_normal(&seed);
    for (int64_t i = 0; i < CHANNELS * LATENTS; i++)
        p->C[i] = test_normal(&seed);
    for (int64_t i = 0; i < LATENTS * inputs; i++)
        p->B[i] = test_normal(&seed);
    for (int64_t i = 0; i < CHANNELS * inputs; i++)
        p->D[i] = test_normal(&seed);
    for (int64_t i = 0; i < CHANNELS; i++)
        p->b[i] = 3 * test_normal(&seed);
    for (int64_t i = 0; !diagonal && i + 1 < CHANNELS; i++)
        p->R[i * CHANNELS + i + 1] = p->R[(i + 1) * CHANNELS + i] = 0.3;
    p->x0[0] = 2;
    return p;
}

static vdi_lds_data *data(const vdi_lds *p, double *y, double *u, int64_t trials, int64_t T,
                          const int64_t *lengths, int64_t window) {
    vdi_lds_data_desc desc = VDI__ZERO;
    vdi_lds_data *out = NULL;
    vdi_error err = VDI__ZERO;
    desc.y = vdi_tensor_3d(y, VDI_F64, trials, T, CHANNELS);
    if (p->desc.inputs) desc.u = vdi_tensor_3d(u, VDI_F64, trials, T, p->desc.inputs);
    desc.lengths = lengths;
    desc.window = window;
    CHECK_OK(vdi_lds_data_create(p, &desc, &out, &err), err);
    return out;
}

static void compare_moments(const window_case *c, const char *of) {
    const int64_t means = TRIALS * c->T * LATENTS, block = LATENTS * LATENTS;
    const int64_t lanes = vdi_lds_data_lanes(c->whole);
    vdi_lds_moments m[2];
    vdi_error err = VDI__ZERO;
    memset(m, 0, sizeof m);
    for (int k = 0; k < 2; k++) {
        m[k].ms = reals(means);
        m[k].Ps = reals(lanes * c->T * block);
        m[k].Pc = reals(lanes * (c->T - 1) * block);
        m[k].ll = reals(TRIALS);
        CHECK_OK(vdi_lds_smooth(c->lds, k ? c->windows : c->whole, &m[k], &err), err);
    }
    compare(m[0].ms, m[1].ms, means, 1e-11, "means", of);
    compare(m[0].Ps, m[1].Ps, lanes * c->T * block, 1e-11, "covariances", of);
    compare(m[0].Pc, m[1].Pc, lanes * (c->T - 1) * block, 1e-11, "lagged covariances", of);
    compare(m[0].ll, m[1].ll, TRIALS, 1e-11, "log likelihoods", of);
}

/* Fitted observations, a forecast, samples, and filter moments, for which the windows need memory
 * for all. */
static void compare_others(const window_case *c, const char *of) {
    const int64_t rows = TRIALS * c->T, H = 3;
    double *y[2], *var[2], *zm[2], *zc[2], *drawn[2], *mf[2];
    vdi_lds_moments m = VDI__ZERO;
    vdi_error err = VDI__ZERO;
    for (int k = 0; k < 2; k++) {
        vdi_lds_data *a = k ? c->windows : c->whole;
        y[k] = reals(rows * CHANNELS);
        var[k] = reals(rows * CHANNELS);
        zm[k] = reals(TRIALS * H * LATENTS);
        zc[k] = reals(TRIALS * H * LATENTS * LATENTS);
        drawn[k] = reals(2 * rows * LATENTS);
        m.mf = mf[k] = reals(rows * LATENTS);
        CHECK_OK(vdi_lds_fitted(c->lds, a, y[k], var[k], &err), err);
        CHECK_OK(vdi_lds_forecast(c->lds, a, H, NULL, zm[k], zc[k], NULL, NULL, &err), err);
        CHECK_OK(vdi_lds_sample(c->lds, a, 2, 5, drawn[k], &err), err);
        CHECK_OK(vdi_lds_smooth(c->lds, a, &m, &err), err);
    }
    compare(y[0], y[1], rows * CHANNELS, 1e-11, "fitted observations", of);
    compare(var[0], var[1], rows * CHANNELS, 1e-11, "their variances", of);
    compare(zm[0], zm[1], TRIALS * H * LATENTS, 1e-11, "forecasts", of);
    compare(zc[0], zc[1], TRIALS * H * LATENTS * LATENTS, 1e-11, "covariances ahead", of);
    compare(drawn[0], drawn[1], 2 * rows * LATENTS, 1e-11, "samples", of);
    compare(mf[0], mf[1], rows * LATENTS, 1e-11, "filtered means", of);
}

static void compare_step(window_case *c, const char *of) {
    const int64_t count = (int64_t)c->lds->param_count;
    double *before = reals(count), *step[2], ll[2];
    vdi_error err = VDI__ZERO;
    memcpy(before, c->lds->A, (size_t)count * sizeof *before);
    for (int k = 0; k < 2; k++) {
        step[k] = reals(count);
        memcpy(c->lds->A, before, (size_t)count * sizeof *before);
        CHECK_OK(vdi_lds_em_step(c->lds, k ? c->windows : c->whole, &ll[k], &err), err);
        memcpy(step[k], c->lds->A, (size_t)count * sizeof *before);
    }
    CHECK_CLOSE(ll[0], ll[1], 1e-10 * fabs(ll[0]));
    compare(step[0], step[1], count, 1e-10, "parameters after a step", of);
    memcpy(c->lds->A, before, (size_t)count * sizeof *before);
    free(before);
}

TEST(lds_windows, equal_the_whole) {
    static const int64_t ragged[TRIALS] = {90, 1, 22, 21, 90, 43, 0};
    unsigned long long seed = 3;
    for (int variant = 0; variant < 32; variant++) {
        const bool diagonal = variant & 1, missing = variant & 2, inputs = variant & 4;
        const int64_t *lengths = variant & 8 ? ragged : NULL, window = variant & 16 ? 1 : 7;
        char of[80];
        window_case c;
        c.T = BINS;
        c.lds = model(inputs ? INPUTS : 0, diagonal, 11);
        double *y = reals(TRIALS * BINS * CHANNELS), *u = reals(TRIALS * BINS * INPUTS);
        for (int64_t i = 0; i < TRIALS * BINS * INPUTS; i++)
            u[i] = test_normal(&seed);
        for (int64_t i = 0; i < TRIALS * BINS * CHANNELS; i++) {
            y[i] = 2 * test_normal(&seed);
            if (missing && i >= BINS * CHANNELS && test_uniform(&seed) < 0.3) y[i] = NAN;
        }
        snprintf(of, sizeof of, "diagonal %d missing %d inputs %d ragged %d window %d", diagonal,
                 missing, inputs, lengths != NULL, (int)window);
        c.whole = data(c.lds, y, u, TRIALS, BINS, lengths, 0);
        c.windows = data(c.lds, y, u, TRIALS, BINS, lengths, window);
        CHECK(vdi_lds_data_window(c.whole) == 0 && vdi_lds_data_window(c.windows) == window,
              "windows of %lld bins", (long long)vdi_lds_data_window(c.windows));
        compare_moments(&c, of);
        compare_step(&c, of);
        compare_others(&c, of);
        vdi_lds_data_destroy(c.whole);
        vdi_lds_data_destroy(c.windows);
        vdi_lds_destroy(c.lds);
        free(y);
        free(u);
    }
}

/* ---- a long trial ---------------------------------------------------------------------------- */

enum { LONG = 20000 };

typedef struct stretches {
    int64_t next; /* the first bin of the stretch before: they come from the end */
    double *ms, *Ps;
} stretches;

static vdi_status take(void *user, const vdi_lds_stretch *s, vdi_error *err) {
    stretches *all = (stretches *)user;
    const int64_t block = LATENTS * LATENTS;
    CHECK(s->trial == 0 && s->bins > 0 && s->first + s->bins == all->next,
          "bins %lld to %lld came after %lld", (long long)s->first, (long long)(s->first + s->bins),
          (long long)all->next);
    all->next = s->first;
    memcpy(all->ms + s->first * LATENTS, s->ms, (size_t)(s->bins * LATENTS) * sizeof(double));
    memcpy(all->Ps + s->first * block, s->Ps, (size_t)(s->bins * block) * sizeof(double));
    (void)err;
    return VDI_OK;
}

/* Windows that have come to rest keep the factor of the one before: the numbers stay those of the
 * whole, at a level of 1e6 too. */
TEST(lds_windows, at_rest) {
    unsigned long long seed = 8;
    vdi_error err = VDI__ZERO;
    for (int level = 0; level < 2; level++) {
        vdi_lds *p = model(0, false, 12);
        double *y = reals(LONG * CHANNELS), ll[2];
        for (int64_t i = 0; i < LONG * CHANNELS; i++)
            y[i] = 2 * test_normal(&seed) + (level ? 1e6 : 0);
        for (int64_t j = 0; level && j < CHANNELS; j++)
            p->b[j] += 1e6;
        vdi_lds_data *whole = data(p, y, NULL, 1, LONG, NULL, 0);
        vdi_lds_data *windows = data(p, y, NULL, 1, LONG, NULL, 500);
        stretches all;
        vdi_lds_moments m = VDI__ZERO;
        all.next = LONG;
        all.ms = reals(LONG * LATENTS);
        all.Ps = reals(LONG * LATENTS * LATENTS);
        m.ms = reals(LONG * LATENTS);
        m.Ps = reals(LONG * LATENTS * LATENTS);
        m.ll = &ll[0];
        CHECK_OK(vdi_lds_smooth(p, whole, &m, &err), err);
        CHECK_OK(vdi_lds_smooth_each(p, windows, take, &all, &ll[1], &err), err);
        CHECK(all.next == 0, "the first stretch begins at bin %lld", (long long)all.next);
        CHECK_CLOSE(ll[0], ll[1], 1e-12 * fabs(ll[0]));
        compare(m.ms, all.ms, LONG * LATENTS, 1e-12, "means", "at rest");
        compare(m.Ps, all.Ps, LONG * LATENTS * LATENTS, 1e-12, "covariances", "at rest");
        vdi_lds_data_destroy(whole);
        vdi_lds_data_destroy(windows);
        vdi_lds_destroy(p);
        free(y);
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t held, most;

static void *counted_alloc(size_t size, size_t align, void *user) {
    const vdi_allocator *base = (const vdi_allocator *)user;
    held += size;
    most = held > most ? held : most;
    return base->alloc_fn(size, align, base->user);
}
static void counted_free(void *p, size_t size, size_t align, void *user) {
    const vdi_allocator *base = (const vdi_allocator *)user;
    held -= size;
    base->free_fn(p, size, align, base->user);
}

/* A step takes the data, the means, and little that grows with the bins. */
TEST(lds_windows, memory) {
    unsigned long long seed = 9;
    const int64_t T = 400000;
    double *y = reals(T * CHANNELS), before;
    vdi_lds *p = model(0, true, 13);
    vdi_lds_data_desc desc = VDI__ZERO;
    vdi_lds_data *a = NULL;
    vdi_allocator base = vdi_allocator_defaults(NULL);
    vdi_error err = VDI__ZERO;
    for (int64_t i = 0; i < T * CHANNELS; i++)
        y[i] = test_normal(&seed);
    held = most = 0;
    desc.y = vdi_tensor_3d(y, VDI_F64, 1, T, CHANNELS);
    desc.allocator.alloc_fn = counted_alloc;
    desc.allocator.free_fn = counted_free;
    desc.allocator.user = &base;
    desc.window = 1000;
    CHECK_OK(vdi_lds_data_create(p, &desc, &a, &err), err);
    CHECK_OK(vdi_lds_init(p, a, 1, &err), err);
    const size_t start = most;
    most = held;
    CHECK_OK(vdi_lds_em_step(p, a, &before, &err), err);
    /* as a whole: more than 60 numbers a bin */
    const double bytes = (double)T * sizeof(double);
    CHECK((double)vdi_lds_data_bytes(a) < 12 * bytes, "%.2f numbers a bin are told",
          (double)vdi_lds_data_bytes(a) / bytes);
    CHECK((double)most < 18 * bytes, "%.2f numbers a bin in a step", (double)most / bytes);
    CHECK((double)start < 22 * bytes, "%.2f numbers a bin at the start", (double)start / bytes);
    vdi_lds_data_destroy(a);
    CHECK(held == 0, "%zu bytes are still held", held);
    vdi_lds_destroy(p);
    free(y);
}
