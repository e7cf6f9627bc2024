/* tests/flush.c - results do not change where the processor flushes denormal numbers to zero
 *
 * A program may set FTZ and DAZ for speed (audio does, and so do some compilers' -ffast-math in
 * other files of it). The library sets nothing; on ordinary data what it infers is the same to the
 * bit.
 */
#include "check.h"

#if defined(__SSE2__) && !defined(__TINYC__)
#include <xmmintrin.h>
typedef unsigned processor_mode;
#define FLUSHES 1
static processor_mode flush(void) {
    const processor_mode before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u); /* results (FTZ), operands (DAZ) */
    return before;
}
static void restore(processor_mode mode) { _mm_setcsr(mode); }
#elif defined(__aarch64__)
typedef unsigned long processor_mode;
#define FLUSHES 1
static void restore(processor_mode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
static processor_mode flush(void) {
    processor_mode before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    restore(before | 1ul << 24);
    return before;
}
#else
typedef int processor_mode;
#define FLUSHES 0
static processor_mode flush(void) { return 0; }
static void restore(processor_mode mode) { (void)mode; }
#endif

enum { ROWS = 37, COLS = 19, T = 300, N = 4, D = 2 };
typedef struct results {
    float layer[ROWS * COLS];
    double z[T * D], P[T * D * D], log_likelihood, calcium[T], spikes[T];
} results;

static void layer(float *out) {
    static float x[ROWS * 24], w[24 * COLS], b[COLS];
    vdi_rng rng = vdi_rng_make(1, 0);
    for (int i = 0; i < ROWS * 24; i++)
        x[i] = (float)vdi_rng_normal(&rng);
    for (int i = 0; i < 24 * COLS; i++)
        w[i] = (float)vdi_rng_normal(&rng);
    vdi_affine(VDI_F32, ROWS, COLS, 24, x, 24, w, COLS, b, VDI_ACT_TANH, 0, out, COLS);
}

static void latents(results *r) {
    static double y[T * N];
    vdi_rng rng = vdi_rng_make(2, 0);
    vdi_error err = VDI__ZERO;
    vdi_lds_desc desc = VDI__ZERO;
    vdi_lds_data_desc all = VDI__ZERO;
    vdi_lds_moments out = VDI__ZERO;
    vdi_lds *lds = NULL;
    vdi_lds_data *data = NULL;
    for (int i = 0; i < T * N; i++)
        y[i] = i % 11 == 0 ? NAN : sin(0.2 * (i / N) + i % N) + 0.5 * vdi_rng_normal(&rng);
    desc.d = D;
    desc.n = N;
    all.y = vdi_tensor_2d(y, VDI_F64, T, N);
    out.ms = r->z;
    out.Ps = r->P;
    CHECK_OK(vdi_lds_create(&desc, &lds, &err), err);
    CHECK_OK(vdi_lds_data_create(lds, &all, &data, &err), err);
    CHECK_OK(vdi_lds_init(lds, data, 1, &err), err);
    for (int i = 0; i < 5; i++)
        CHECK_OK(vdi_lds_em_step(lds, data, NULL, &err), err);
    CHECK_OK(vdi_lds_smooth(lds, data, &out, &err), err);
    CHECK_OK(vdi_lds_log_likelihood(lds, data, NULL, &r->log_likelihood, &err), err);
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
}

static void deconvolution(results *r) {
    double trace[T], c = 0;
    vdi_rng rng = vdi_rng_make(3, 0);
    vdi_error err = VDI__ZERO;
    vdi_oasis_desc desc = vdi_oasis_desc_defaults();
    vdi_oasis_result result;
    desc.fps = 30;
    for (int i = 0; i < T; i++) {
        c = 0.95 * c + (vdi_rng_uniform(&rng) < 0.05);
        trace[i] = c + 0.1 * vdi_rng_normal(&rng);
    }
    CHECK_OK(vdi_oasis(&desc, VDI_F64, T, trace, NULL, r->calcium, r->spikes, &result, &err), err);
}

TEST(flush, to_zero) {
    static results plain, flushed;
    if (!FLUSHES) SKIP("this processor's mode is not known here");
    for (int k = 0; k < 2; k++) {
        results *r = k ? &flushed : &plain;
        const processor_mode before = k ? flush() : 0;
        layer(r->layer);
        latents(r);
        deconvolution(r);
        if (k) {
            /* it was on, to the end */
            volatile double tiny = 1e-310;
            CHECK(tiny * 1.0 == 0, "a call has changed the processor's mode");
            restore(before);
        }
    }
    CHECK(memcmp(plain.layer, flushed.layer, sizeof plain.layer) == 0, "a layer");
    CHECK(memcmp(plain.z, flushed.z, sizeof plain.z) == 0, "means of the latents");
    CHECK(memcmp(plain.P, flushed.P, sizeof plain.P) == 0, "their covariances");
    CHECK(plain.log_likelihood == flushed.log_likelihood && plain.log_likelihood != 0, "%g and %g",
          plain.log_likelihood, flushed.log_likelihood);
    CHECK(memcmp(plain.calcium, flushed.calcium, sizeof plain.calcium) == 0, "calcium");
    CHECK(memcmp(plain.spikes, flushed.spikes, sizeof plain.spikes) == 0, "spikes");
}
