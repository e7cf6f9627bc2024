/* kernel/simd_support.h - the few vector words that are functions, not single instructions; once, before the passes */
#ifndef VDI_KERNEL_SIMD_SUPPORT_H
#define VDI_KERNEL_SIMD_SUPPORT_H
#include "cpu.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_SIMD_SUPPORT_C)
#define VDI_KERNEL_SIMD_SUPPORT_C

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

#define VDI__SUPPORT(target) VDI__UNUSED VDI__ALWAYS_INLINE target static inline

#if VDI__HAVE_SSE2
#define VDI__SSE2 VDI__SUPPORT(__attribute__((target("sse2"))))
VDI__SSE2 __m128 vdi__loadt_sse2_f32(const float *p, size_t n) {
    float t[4] = {0, 0, 0, 0};
    memcpy(t, p, n * sizeof *t);
    return _mm_loadu_ps(t);
}
VDI__SSE2 void vdi__storet_sse2_f32(float *p, size_t n, __m128 v) {
    float t[4];
    _mm_storeu_ps(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SSE2 __m128d vdi__loadt_sse2_f64(const double *p, size_t n) {
    double t[2] = {0, 0};
    memcpy(t, p, n * sizeof *t);
    return _mm_loadu_pd(t);
}
VDI__SSE2 void vdi__storet_sse2_f64(double *p, size_t n, __m128d v) {
    double t[2];
    _mm_storeu_pd(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SSE2 __m128i vdi__sar_sse2(__m128i a, int n) {
    __m128i sign = _mm_srai_epi32(_mm_shuffle_epi32(a, 0xF5), 31);
    return _mm_or_si128(_mm_srl_epi64(a, _mm_cvtsi32_si128(n)), _mm_sll_epi64(sign, _mm_cvtsi32_si128(64 - n)));
}
#undef VDI__SSE2
#endif

#if VDI__HAVE_AVX2
/* a window of these, 8 or 4 long, that starts n before the middle, is a mask of the first n lanes */
static const int32_t vdi__tail32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
static const int64_t vdi__tail64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
VDI__SUPPORT(__attribute__((target("avx2")))) __m256i vdi__sar_avx2(__m256i a, int n) {
    __m256i sign = _mm256_srai_epi32(_mm256_shuffle_epi32(a, 0xF5), 31);
    return _mm256_or_si256(_mm256_srl_epi64(a, _mm_cvtsi32_si128(n)), _mm256_sll_epi64(sign, _mm_cvtsi32_si128(64 - n)));
}
#endif

#if VDI__HAVE_NEON
VDI__SUPPORT() float32x4_t vdi__loadt_neon_f32(const float *p, size_t n) {
    float t[4] = {0, 0, 0, 0};
    memcpy(t, p, n * sizeof *t);
    return vld1q_f32(t);
}
VDI__SUPPORT() void vdi__storet_neon_f32(float *p, size_t n, float32x4_t v) {
    float t[4];
    vst1q_f32(t, v);
    memcpy(p, t, n * sizeof *t);
}
VDI__SUPPORT() float64x2_t vdi__loadt_neon_f64(const double *p, size_t n) {
    double t[2] = {0, 0};
    memcpy(t, p, n * sizeof *t);
    return vld1q_f64(t);
}
VDI__SUPPORT() void vdi__storet_neon_f64(double *p, size_t n, float64x2_t v) {
    double t[2];
    vst1q_f64(t, v);
    memcpy(p, t, n * sizeof *t);
}
/* NEON's own minimum spreads NaN; x86's returns the second operand, and that is what the word promises */
VDI__SUPPORT() float32x4_t vdi__min_neon_f32(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
VDI__SUPPORT() float32x4_t vdi__max_neon_f32(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
VDI__SUPPORT() float64x2_t vdi__min_neon_f64(float64x2_t a, float64x2_t b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
VDI__SUPPORT() float64x2_t vdi__max_neon_f64(float64x2_t a, float64x2_t b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
#endif
#endif
