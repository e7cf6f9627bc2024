/* kernel/simd_neon.h - the vector language on aarch64 NEON: 4 floats or 2 doubles, fused
 * multiply-add, no masked memory access */
#define VDI__ISA_SUFFIX _neon
#define VDI__TARGET
#define VDI_REGISTERS 32
#define VDI_FALLBACK 0
#define VDI_MASKS 0
#define VDI_FMA 1
#define VDI_TAIL size_t
#define VDI_VTAIL(n) ((size_t)(n))
#if VDI__REAL == 32
#define VDI_W 4
#define VDI_V float32x4_t
#define VDI_I int32x4_t
#define VDI_M uint32x4_t
#define VDI_VLOAD(p) vld1q_f32(p)
#define VDI_VSTORE(p, v) vst1q_f32(p, v)
#define VDI_VLOADT(p, t) vdi__loadt_neon_f32(p, t)
#define VDI_VSTORET(p, t, v) vdi__storet_neon_f32(p, t, v)
#define VDI_VLOADOR(p, t, v) vdi__loador_neon_f32(p, t, v)
#define VDI_VFIRST(v) vgetq_lane_f32(v, 0)
#define VDI_VHADD(v) vdi__hadd_neon_f32(v)
#define VDI_VHMAX(v) vdi__hmax_neon_f32(v)
#define VDI_VSET1(x) vdupq_n_f32(x)
#define VDI_VZERO() vdupq_n_f32(0)
#define VDI_VADD(a, b) vaddq_f32(a, b)
#define VDI_VSUB(a, b) vsubq_f32(a, b)
#define VDI_VMUL(a, b) vmulq_f32(a, b)
#define VDI_VDIV(a, b) vdivq_f32(a, b)
#define VDI_VSQRT(a) vsqrtq_f32(a)
#define VDI_VABS(a) vabsq_f32(a)
#define VDI_VNEG(a) vnegq_f32(a)
#define VDI_VMIN(a, b) vdi__vmin_neon_f32(a, b)
#define VDI_VMAX(a, b) vdi__vmax_neon_f32(a, b)
#define VDI_VFMA(a, b, c) vfmaq_f32(c, a, b)
#define VDI_VFNMA(a, b, c) vfmsq_f32(c, a, b)
#define VDI_VLT(a, b) vcltq_f32(a, b)
#define VDI_VLE(a, b) vcleq_f32(a, b)
#define VDI_VGT(a, b) vcgtq_f32(a, b)
#define VDI_VGE(a, b) vcgeq_f32(a, b)
#define VDI_VEQ(a, b) vceqq_f32(a, b)
#define VDI_VNE(a, b) vmvnq_u32(vceqq_f32(a, b))
#define VDI_MAND(a, b) vandq_u32(a, b)
#define VDI_MOR(a, b) vorrq_u32(a, b)
#define VDI_MNOT(a) vmvnq_u32(a)
#define VDI_MANY(m) (vmaxvq_u32(m) != 0)
#define VDI_VSEL(m, a, b) vbslq_f32(m, a, b)
#define VDI_VBITS(v) vreinterpretq_s32_f32(v)
#define VDI_IBITS(i) vreinterpretq_f32_s32(i)
#define VDI_ISET1(x) vdupq_n_s32(x)
#define VDI_IADD(a, b) vaddq_s32(a, b)
#define VDI_ISUB(a, b) vsubq_s32(a, b)
#define VDI_IAND(a, b) vandq_s32(a, b)
#define VDI_IOR(a, b) vorrq_s32(a, b)
#define VDI_IXOR(a, b) veorq_s32(a, b)
#define VDI_ISHL(a, n) vshlq_n_s32(a, n)
#define VDI_ISHR(a, n) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), n))
#define VDI_ISAR(a, n) vshrq_n_s32(a, n)
#define VDI_TBLOCK 4
#define VDI_TRANSPOSE(s, lds, d, ldd) vdi__transpose_neon_f32(s, lds, d, ldd)
#else
#define VDI_W 2
#define VDI_V float64x2_t
#define VDI_I int64x2_t
#define VDI_M uint64x2_t
#define VDI_VLOAD(p) vld1q_f64(p)
#define VDI_VSTORE(p, v) vst1q_f64(p, v)
#define VDI_VLOADT(p, t) vdi__loadt_neon_f64(p, t)
#define VDI_VSTORET(p, t, v) vdi__storet_neon_f64(p, t, v)
#define VDI_VLOADOR(p, t, v) vdi__loador_neon_f64(p, t, v)
#define VDI_VFIRST(v) vgetq_lane_f64(v, 0)
#define VDI_VHADD(v) vdi__hadd_neon_f64(v)
#define VDI_VHMAX(v) vdi__hmax_neon_f64(v)
#define VDI_VSET1(x) vdupq_n_f64(x)
#define VDI_VZERO() vdupq_n_f64(0)
#define VDI_VADD(a, b) vaddq_f64(a, b)
#define VDI_VSUB(a, b) vsubq_f64(a, b)
#define VDI_VMUL(a, b) vmulq_f64(a, b)
#define VDI_VDIV(a, b) vdivq_f64(a, b)
#define VDI_VSQRT(a) vsqrtq_f64(a)
#define VDI_VABS(a) vabsq_f64(a)
#define VDI_VNEG(a) vnegq_f64(a)
#define VDI_VMIN(a, b) vdi__vmin_neon_f64(a, b)
#define VDI_VMAX(a, b) vdi__vmax_neon_f64(a, b)
#define VDI_VFMA(a, b, c) vfmaq_f64(c, a, b)
#define VDI_VFNMA(a, b, c) vfmsq_f64(c, a, b)
#define VDI_VLT(a, b) vcltq_f64(a, b)
#define VDI_VLE(a, b) vcleq_f64(a, b)
#define VDI_VGT(a, b) vcgtq_f64(a, b)
#define VDI_VGE(a, b) vcgeq_f64(a, b)
#define VDI_VEQ(a, b) vceqq_f64(a, b)
#define VDI_VNE(a, b) vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(vceqq_f64(a, b))))
#define VDI_MAND(a, b) vandq_u64(a, b)
#define VDI_MOR(a, b) vorrq_u64(a, b)
#define VDI_MNOT(a) vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(a)))
#define VDI_MANY(m) (vmaxvq_u32(vreinterpretq_u32_u64(m)) != 0)
#define VDI_VSEL(m, a, b) vbslq_f64(m, a, b)
#define VDI_VBITS(v) vreinterpretq_s64_f64(v)
#define VDI_IBITS(i) vreinterpretq_f64_s64(i)
#define VDI_ISET1(x) vdupq_n_s64(x)
#define VDI_IADD(a, b) vaddq_s64(a, b)
#define VDI_ISUB(a, b) vsubq_s64(a, b)
#define VDI_IAND(a, b) vandq_s64(a, b)
#define VDI_IOR(a, b) vorrq_s64(a, b)
#define VDI_IXOR(a, b) veorq_s64(a, b)
#define VDI_ISHL(a, n) vshlq_n_s64(a, n)
#define VDI_ISHR(a, n) vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_s64(a), n))
#define VDI_ISAR(a, n) vshrq_n_s64(a, n)
#define VDI_TBLOCK 2
#define VDI_TRANSPOSE(s, lds, d, ldd) vdi__transpose_neon_f64(s, lds, d, ldd)
#endif
#define VDI_VAND(a, b) VDI_IBITS(VDI_IAND(VDI_VBITS(a), VDI_VBITS(b)))
#define VDI_VOR(a, b) VDI_IBITS(VDI_IOR(VDI_VBITS(a), VDI_VBITS(b)))
#define VDI_VXOR(a, b) VDI_IBITS(VDI_IXOR(VDI_VBITS(a), VDI_VBITS(b)))
