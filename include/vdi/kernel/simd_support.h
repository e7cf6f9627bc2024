/* kernel/simd_support.h - the few vector words that are functions, not single instructions; once,
 * before the passes */
#ifndef VDI_KERNEL_SIMD_SUPPORT_H
#define VDI_KERNEL_SIMD_SUPPORT_H
#include "cpu.h"
#endif

/* linalg has passes, too, and may be a part of its own */
#if defined(VDI__BODIES) && !defined(VDI_KERNEL_SIMD_SUPPORT_C) && \
    (defined(VDI_KERNEL_IMPLEMENTATION) || defined(VDI_LINALG_IMPLEMENTATION))
#define VDI_KERNEL_SIMD_SUPPORT_C

#if VDI__HAVE_SSE2 || VDI__HAVE_AVX2 || VDI__HAVE_AVX512
#include <immintrin.h>
#endif
#if VDI__HAVE_NEON
#include <arm_neon.h>
#endif
#if VDI__HAVE_WASM
#include <wasm_simd128.h>
#endif

/* 1: float with the digits of double, 2: both with more, or nobody knows. */
#if !defined(FLT_EVAL_METHOD) || FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 16
#define VDI__EXCESS 0
#elif FLT_EVAL_METHOD == 1
#define VDI__EXCESS 1
#else
#define VDI__EXCESS 2
VDI__INLINE float vdi__rounded_f32(float x) {
    volatile float y = x;
    return y;
}
VDI__INLINE double vdi__rounded_f64(double x) {
    volatile double y = x;
    return y;
}
#endif

/* n reals of `size` bytes that lie `from_step` and `to_step` reals apart */
VDI__FN void vdi__copy_strided(size_t size, size_t n, const void *from, int64_t from_step, void *to,
                               int64_t to_step) {
    if (size == sizeof(float)) {
        for (int64_t i = 0; i < (int64_t)n; i++)
            ((float *)to)[i * to_step] = ((const float *)from)[i * from_step];
    } else {
        for (int64_t i = 0; i < (int64_t)n; i++)
            ((double *)to)[i * to_step] = ((const double *)from)[i * from_step];
    }
}

VDI__INLINE int32_t vdi__bits_of_f32(float x) {
    int32_t i;
    memcpy(&i, &x, sizeof i);
    return i;
}
VDI__INLINE float vdi__f32_of_bits(int32_t i) {
    float x;
    memcpy(&x, &i, sizeof x);
    return x;
}
VDI__INLINE int64_t vdi__bits_of_f64(double x) {
    int64_t i;
    memcpy(&i, &x, sizeof i);
    return i;
}
VDI__INLINE double vdi__f64_of_bits(int64_t i) {
    double x;
    memcpy(&x, &i, sizeof x);
    return x;
}

/* partial memory access by copying is long where there are no masks, and rare: a call keeps every
 * kernel short */
#define VDI__SUPPORT_CALL(target) VDI__UNUSED VDI__NOINLINE target static
#define VDI__SUPPORT(target) VDI__UNUSED VDI__ALWAYS_INLINE target static inline

#if VDI__HAVE_SSE2
#define VDI__SSE2 VDI__SUPPORT(__attribute__((target("sse2"))))
VDI__SUPPORT_CALL(__attribute__((target("sse2"))))
__m128 vdi__loadt_sse2_f32(const float *p, size_t n) {
    float t[4] = {0, 0, 0, 0};
    memcpy(t, p, n * sizeof *t);
    return _mm_loadu_ps(t);
}
VDI__SUPPORT_CALL(__attribute__((target("sse2"))))
void vdi__storet_sse2_f32(float *p, size_t n, __m128 v) {
    float t[4];
    _mm_storeu_ps(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SUPPORT_CALL(__attribute__((target("sse2"))))
__m128d vdi__loadt_sse2_f64(const double *p, size_t n) {
    double t[2] = {0, 0};
    memcpy(t, p, n * sizeof *t);
    return _mm_loadu_pd(t);
}
VDI__SUPPORT_CALL(__attribute__((target("sse2"))))
void vdi__storet_sse2_f64(double *p, size_t n, __m128d v) {
    double t[2];
    _mm_storeu_pd(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SSE2 __m128i vdi__sar_sse2(__m128i a, int n) {
    __m128i sign = _mm_srai_epi32(_mm_shuffle_epi32(a, 0xF5), 31);
    return _mm_or_si128(_mm_srl_epi64(a, _mm_cvtsi32_si128(n)),
                        _mm_sll_epi64(sign, _mm_cvtsi32_si128(64 - n)));
}
/* squares turned over: what packing a transposed matrix is made of */
VDI__SSE2 void vdi__transpose_sse2_f32(const float *s, size_t lds, float *d, size_t ldd) {
    __m128 a = _mm_loadu_ps(s);
    __m128 b = _mm_loadu_ps(s + lds);
    __m128 c = _mm_loadu_ps(s + 2 * lds);
    __m128 e = _mm_loadu_ps(s + 3 * lds);
    __m128 p = _mm_unpacklo_ps(a, b);
    __m128 q = _mm_unpacklo_ps(c, e);
    __m128 r = _mm_unpackhi_ps(a, b);
    __m128 t = _mm_unpackhi_ps(c, e);
    _mm_storeu_ps(d, _mm_movelh_ps(p, q));
    _mm_storeu_ps(d + ldd, _mm_movehl_ps(q, p));
    _mm_storeu_ps(d + 2 * ldd, _mm_movelh_ps(r, t));
    _mm_storeu_ps(d + 3 * ldd, _mm_movehl_ps(t, r));
}
VDI__SSE2 void vdi__transpose_sse2_f64(const double *s, size_t lds, double *d, size_t ldd) {
    __m128d a = _mm_loadu_pd(s), b = _mm_loadu_pd(s + lds);
    _mm_storeu_pd(d, _mm_unpacklo_pd(a, b));
    _mm_storeu_pd(d + ldd, _mm_unpackhi_pd(a, b));
}
VDI__SUPPORT_CALL(__attribute__((target("sse2"))))
__m128 vdi__loador_sse2_f32(const float *p, size_t n, __m128 v) {
    float t[4];
    _mm_storeu_ps(t, v);
    memcpy(t, p, n * sizeof *t);
    return _mm_loadu_ps(t);
}
VDI__SUPPORT_CALL(__attribute__((target("sse2"))))
__m128d vdi__loador_sse2_f64(const double *p, size_t n, __m128d v) {
    double t[2];
    _mm_storeu_pd(t, v);
    memcpy(t, p, n * sizeof *t);
    return _mm_loadu_pd(t);
}
VDI__SSE2 float vdi__hadd_sse2_f32(__m128 v) {
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}
VDI__SSE2 float vdi__hmax_sse2_f32(__m128 v) {
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_shuffle_ps(v, v, 1)));
}
VDI__SSE2 double vdi__hadd_sse2_f64(__m128d v) {
    return _mm_cvtsd_f64(_mm_add_sd(v, _mm_unpackhi_pd(v, v)));
}
VDI__SSE2 double vdi__hmax_sse2_f64(__m128d v) {
    return _mm_cvtsd_f64(_mm_max_sd(v, _mm_unpackhi_pd(v, v)));
}
#undef VDI__SSE2
#endif

#if VDI__HAVE_AVX2
/* a window of these, 8 or 4 long, that starts n before the middle, is a mask of the first n
 * lanes */
static const int32_t vdi__tail32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
static const int64_t vdi__tail64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
VDI__SUPPORT(__attribute__((target("avx2")))) __m256i vdi__sar_avx2(__m256i a, int n) {
    __m256i sign = _mm256_srai_epi32(_mm256_shuffle_epi32(a, 0xF5), 31);
    return _mm256_or_si256(_mm256_srl_epi64(a, _mm_cvtsi32_si128(n)),
                           _mm256_sll_epi64(sign, _mm_cvtsi32_si128(64 - n)));
}
#endif

#if VDI__HAVE_AVX2 || VDI__HAVE_AVX512
#define VDI__AVX VDI__SUPPORT(__attribute__((target("avx2"))))
/* rows i and i + 4 (f64: i + 2) share a register from the load on, so that no shuffle has to cross
 * its halves */
VDI__AVX __m256 vdi__halves_f32(const float *low, const float *high) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}
VDI__AVX void vdi__transpose_avx2_f32(const float *s, size_t lds, float *d, size_t ldd) {
    for (int h = 0; h < 2; h++, s += 4, d += 4 * ldd) {
        __m256 a = vdi__halves_f32(s, s + 4 * lds), b = vdi__halves_f32(s + lds, s + 5 * lds);
        __m256 c = vdi__halves_f32(s + 2 * lds, s + 6 * lds);
        __m256 e = vdi__halves_f32(s + 3 * lds, s + 7 * lds);
        __m256 p = _mm256_unpacklo_ps(a, b);
        __m256 q = _mm256_unpacklo_ps(c, e);
        __m256 r = _mm256_unpackhi_ps(a, b);
        __m256 t = _mm256_unpackhi_ps(c, e);
        _mm256_storeu_ps(d, _mm256_shuffle_ps(p, q, 0x44));
        _mm256_storeu_ps(d + ldd, _mm256_shuffle_ps(p, q, 0xEE));
        _mm256_storeu_ps(d + 2 * ldd, _mm256_shuffle_ps(r, t, 0x44));
        _mm256_storeu_ps(d + 3 * ldd, _mm256_shuffle_ps(r, t, 0xEE));
    }
}
VDI__AVX __m256d vdi__halves_f64(const double *low, const double *high) {
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(low)), _mm_loadu_pd(high), 1);
}
VDI__AVX void vdi__transpose_avx2_f64(const double *s, size_t lds, double *d, size_t ldd) {
    for (int h = 0; h < 2; h++, s += 2, d += 2 * ldd) {
        __m256d a = vdi__halves_f64(s, s + 2 * lds), b = vdi__halves_f64(s + lds, s + 3 * lds);
        _mm256_storeu_pd(d, _mm256_unpacklo_pd(a, b));
        _mm256_storeu_pd(d + ldd, _mm256_unpackhi_pd(a, b));
    }
}
#undef VDI__AVX
#endif

#if VDI__HAVE_AVX2
VDI__SUPPORT(__attribute__((target("avx2")))) __m256d vdi__lane_avx2_f64(__m256d v, int j) {
    const long long pair = 2 * j + ((long long)(2 * j + 1) << 32);
    return _mm256_castps_pd(
        _mm256_permutevar8x32_ps(_mm256_castpd_ps(v), _mm256_set1_epi64x(pair)));
}
#define VDI__WIDE VDI__SUPPORT(__attribute__((target("avx2"))))
VDI__WIDE float vdi__hadd_avx2_f32(__m256 v) {
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}
VDI__WIDE double vdi__hadd_avx2_f64(__m256d v) {
    __m128d h = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)));
}
VDI__WIDE float vdi__hmax_avx2_f32(__m256 v) {
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}
VDI__WIDE double vdi__hmax_avx2_f64(__m256d v) {
    __m128d h = _mm_max_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_max_sd(h, _mm_unpackhi_pd(h, h)));
}
#undef VDI__WIDE
#endif
#if VDI__HAVE_AVX512
/* a function, because gcc takes the complement of a mask in a condition for a mistake */
VDI__INLINE bool vdi__any_avx512(__mmask16 m) { return m != 0; }
#define VDI__WIDE \
    VDI__SUPPORT(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))))
VDI__WIDE float vdi__hadd_ymm_f32(__m256 v) {
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}
VDI__WIDE double vdi__hadd_ymm_f64(__m256d v) {
    __m128d h = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)));
}
VDI__WIDE float vdi__hmax_ymm_f32(__m256 v) {
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}
VDI__WIDE double vdi__hmax_ymm_f64(__m256d v) {
    __m128d h = _mm_max_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_max_sd(h, _mm_unpackhi_pd(h, h)));
}
VDI__WIDE float vdi__hadd_avx512_f32(__m512 v) {
    return vdi__hadd_ymm_f32(_mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xFF, v, 0),
                                           _mm512_maskz_extractf32x8_ps(0xFF, v, 1)));
}
VDI__WIDE double vdi__hadd_avx512_f64(__m512d v) {
    return vdi__hadd_ymm_f64(_mm256_add_pd(_mm512_maskz_extractf64x4_pd(0xF, v, 0),
                                           _mm512_maskz_extractf64x4_pd(0xF, v, 1)));
}
VDI__WIDE float vdi__hmax_avx512_f32(__m512 v) {
    return vdi__hmax_ymm_f32(_mm256_max_ps(_mm512_maskz_extractf32x8_ps(0xFF, v, 0),
                                           _mm512_maskz_extractf32x8_ps(0xFF, v, 1)));
}
VDI__WIDE double vdi__hmax_avx512_f64(__m512d v) {
    return vdi__hmax_ymm_f64(_mm256_max_pd(_mm512_maskz_extractf64x4_pd(0xF, v, 0),
                                           _mm512_maskz_extractf64x4_pd(0xF, v, 1)));
}
/* without optimisation these are macros of the compiler's header, which convert a mask to a signed
 * type */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
VDI__WIDE __m512 vdi__getexp_avx512_f32(__m512 v) {
    return _mm512_maskz_getexp_ps((__mmask16)0xFFFF, v);
}
VDI__WIDE __m512d vdi__getexp_avx512_f64(__m512d v) {
    return _mm512_maskz_getexp_pd((__mmask8)0xFF, v);
}
VDI__WIDE __m512 vdi__getmant_avx512_f32(__m512 v) {
    return _mm512_maskz_getmant_ps((__mmask16)0xFFFF, v, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan);
}
VDI__WIDE __m512d vdi__getmant_avx512_f64(__m512d v) {
    return _mm512_maskz_getmant_pd((__mmask8)0xFF, v, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan);
}
#pragma GCC diagnostic pop
#undef VDI__WIDE
#endif

#if VDI__HAVE_NEON
VDI__SUPPORT_CALL() float32x4_t vdi__loadt_neon_f32(const float *p, size_t n) {
    float t[4] = {0, 0, 0, 0};
    memcpy(t, p, n * sizeof *t);
    return vld1q_f32(t);
}
VDI__SUPPORT_CALL() void vdi__storet_neon_f32(float *p, size_t n, float32x4_t v) {
    float t[4];
    vst1q_f32(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SUPPORT_CALL() float64x2_t vdi__loadt_neon_f64(const double *p, size_t n) {
    double t[2] = {0, 0};
    memcpy(t, p, n * sizeof *t);
    return vld1q_f64(t);
}
VDI__SUPPORT_CALL() void vdi__storet_neon_f64(double *p, size_t n, float64x2_t v) {
    double t[2];
    vst1q_f64(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SUPPORT() void vdi__transpose_neon_f32(const float *s, size_t lds, float *d, size_t ldd) {
    float32x4_t a = vld1q_f32(s);
    float32x4_t b = vld1q_f32(s + lds);
    float32x4_t c = vld1q_f32(s + 2 * lds);
    float32x4_t e = vld1q_f32(s + 3 * lds);
    float32x4_t p = vzip1q_f32(a, c);
    float32x4_t q = vzip1q_f32(b, e);
    float32x4_t r = vzip2q_f32(a, c);
    float32x4_t t = vzip2q_f32(b, e);
    vst1q_f32(d, vzip1q_f32(p, q));
    vst1q_f32(d + ldd, vzip2q_f32(p, q));
    vst1q_f32(d + 2 * ldd, vzip1q_f32(r, t));
    vst1q_f32(d + 3 * ldd, vzip2q_f32(r, t));
}
VDI__SUPPORT() void vdi__transpose_neon_f64(const double *s, size_t lds, double *d, size_t ldd) {
    float64x2_t a = vld1q_f64(s), b = vld1q_f64(s + lds);
    vst1q_f64(d, vzip1q_f64(a, b));
    vst1q_f64(d + ldd, vzip2q_f64(a, b));
}
/* NEON's own minimum spreads NaN; x86's returns the second operand, and that is what the word
 * promises */
VDI__SUPPORT() float32x4_t vdi__vmin_neon_f32(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
VDI__SUPPORT() float32x4_t vdi__vmax_neon_f32(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
VDI__SUPPORT() float64x2_t vdi__vmin_neon_f64(float64x2_t a, float64x2_t b) {
    return vbslq_f64(vcltq_f64(a, b), a, b);
}
VDI__SUPPORT() float64x2_t vdi__vmax_neon_f64(float64x2_t a, float64x2_t b) {
    return vbslq_f64(vcgtq_f64(a, b), a, b);
}
VDI__SUPPORT_CALL() float32x4_t vdi__loador_neon_f32(const float *p, size_t n, float32x4_t v) {
    float t[4];
    vst1q_f32(t, v);
    memcpy(t, p, n * sizeof *t);
    return vld1q_f32(t);
}
VDI__SUPPORT_CALL() float64x2_t vdi__loador_neon_f64(const double *p, size_t n, float64x2_t v) {
    double t[2];
    vst1q_f64(t, v);
    memcpy(t, p, n * sizeof *t);
    return vld1q_f64(t);
}
VDI__SUPPORT() float vdi__hadd_neon_f32(float32x4_t v) {
    float32x2_t h = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}
VDI__SUPPORT() float vdi__hmax_neon_f32(float32x4_t v) { return vmaxvq_f32(v); }
VDI__SUPPORT() double vdi__hadd_neon_f64(float64x2_t v) {
    return vgetq_lane_f64(v, 0) + vgetq_lane_f64(v, 1);
}
VDI__SUPPORT() double vdi__hmax_neon_f64(float64x2_t v) { return vmaxvq_f64(v); }
#endif

#if VDI__HAVE_WASM
VDI__SUPPORT_CALL() v128_t vdi__loadt_wasm_f32(const float *p, size_t n) {
    float t[4] = {0, 0, 0, 0};
    memcpy(t, p, n * sizeof *t);
    return wasm_v128_load(t);
}
VDI__SUPPORT_CALL() void vdi__storet_wasm_f32(float *p, size_t n, v128_t v) {
    float t[4];
    wasm_v128_store(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SUPPORT_CALL() v128_t vdi__loador_wasm_f32(const float *p, size_t n, v128_t v) {
    float t[4];
    wasm_v128_store(t, v);
    memcpy(t, p, n * sizeof *t);
    return wasm_v128_load(t);
}
VDI__SUPPORT_CALL() v128_t vdi__loadt_wasm_f64(const double *p, size_t n) {
    double t[2] = {0, 0};
    memcpy(t, p, n * sizeof *t);
    return wasm_v128_load(t);
}
VDI__SUPPORT_CALL() void vdi__storet_wasm_f64(double *p, size_t n, v128_t v) {
    double t[2];
    wasm_v128_store(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SUPPORT_CALL() v128_t vdi__loador_wasm_f64(const double *p, size_t n, v128_t v) {
    double t[2];
    wasm_v128_store(t, v);
    memcpy(t, p, n * sizeof *t);
    return wasm_v128_load(t);
}
VDI__SUPPORT() void vdi__transpose_wasm_f32(const float *s, size_t lds, float *d, size_t ldd) {
    v128_t a = wasm_v128_load(s);
    v128_t b = wasm_v128_load(s + lds);
    v128_t c = wasm_v128_load(s + 2 * lds);
    v128_t e = wasm_v128_load(s + 3 * lds);
    v128_t p = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5);
    v128_t q = wasm_i32x4_shuffle(c, e, 0, 4, 1, 5);
    v128_t r = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
    v128_t t = wasm_i32x4_shuffle(c, e, 2, 6, 3, 7);
    wasm_v128_store(d, wasm_i64x2_shuffle(p, q, 0, 2));
    wasm_v128_store(d + ldd, wasm_i64x2_shuffle(p, q, 1, 3));
    wasm_v128_store(d + 2 * ldd, wasm_i64x2_shuffle(r, t, 0, 2));
    wasm_v128_store(d + 3 * ldd, wasm_i64x2_shuffle(r, t, 1, 3));
}
VDI__SUPPORT() void vdi__transpose_wasm_f64(const double *s, size_t lds, double *d, size_t ldd) {
    v128_t a = wasm_v128_load(s), b = wasm_v128_load(s + lds);
    wasm_v128_store(d, wasm_i64x2_shuffle(a, b, 0, 2));
    wasm_v128_store(d + ldd, wasm_i64x2_shuffle(a, b, 1, 3));
}
VDI__SUPPORT() float vdi__hadd_wasm_f32(v128_t v) {
    v = wasm_f32x4_add(v, wasm_i64x2_shuffle(v, v, 1, 0));
    return wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 1);
}
VDI__SUPPORT() float vdi__hmax_wasm_f32(v128_t v) {
    v = wasm_f32x4_pmax(v, wasm_i64x2_shuffle(v, v, 1, 0));
    return VDI__MAX(wasm_f32x4_extract_lane(v, 0), wasm_f32x4_extract_lane(v, 1));
}
VDI__SUPPORT() double vdi__hadd_wasm_f64(v128_t v) {
    return wasm_f64x2_extract_lane(v, 0) + wasm_f64x2_extract_lane(v, 1);
}
VDI__SUPPORT() double vdi__hmax_wasm_f64(v128_t v) {
    return VDI__MAX(wasm_f64x2_extract_lane(v, 0), wasm_f64x2_extract_lane(v, 1));
}
#endif
#endif
