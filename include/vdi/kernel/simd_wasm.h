/* kernel/simd_wasm.h - the vector language on WebAssembly's simd128: 4 floats or 2 doubles, no
 * fused multiply-add, no masked memory access; a comparison gives a vector of bits, as all else */
#define VDI__ISA_SUFFIX _wasm
#define VDI__TARGET
#define VDI_REGISTERS 16
#define VDI_FALLBACK 1
#define VDI_MASKS 0
#define VDI_FMA 0
#define VDI_TAIL size_t
#define VDI_VTAIL(n) ((size_t)(n))
#define VDI_V v128_t
#define VDI_I v128_t
#define VDI_M v128_t
#define VDI_VLOAD(p) wasm_v128_load(p)
#define VDI_VSTORE(p, v) wasm_v128_store(p, v)
#define VDI_VFMA(a, b, c) VDI_VADD(VDI_VMUL(a, b), c)
#define VDI_VFNMA(a, b, c) VDI_VSUB(c, VDI_VMUL(a, b))
#define VDI_MAND(a, b) wasm_v128_and(a, b)
#define VDI_MOR(a, b) wasm_v128_or(a, b)
#define VDI_MNOT(a) wasm_v128_not(a)
#define VDI_MANY(m) wasm_v128_any_true(m)
#define VDI_VSEL(m, a, b) wasm_v128_bitselect(a, b, m)
#define VDI_VAND(a, b) wasm_v128_and(a, b)
#define VDI_VOR(a, b) wasm_v128_or(a, b)
#define VDI_VXOR(a, b) wasm_v128_xor(a, b)
#define VDI_IAND(a, b) wasm_v128_and(a, b)
#define VDI_IOR(a, b) wasm_v128_or(a, b)
#define VDI_IXOR(a, b) wasm_v128_xor(a, b)
#define VDI_VBITS(v) (v)
#define VDI_IBITS(i) (i)
#if VDI__REAL == 32
#define VDI_W 4
#define VDI_VLOADT(p, t) ((t) == VDI_W ? wasm_v128_load(p) : vdi__loadt_wasm_f32(p, t))
#define VDI_VSTORET(p, t, v) ((t) == VDI_W ? wasm_v128_store(p, v) : vdi__storet_wasm_f32(p, t, v))
#define VDI_VLOADOR(p, t, v) vdi__loador_wasm_f32(p, t, v)
#define VDI_VFIRST(v) wasm_f32x4_extract_lane(v, 0)
#define VDI_VHADD(v) vdi__hadd_wasm_f32(v)
#define VDI_VHMAX(v) vdi__hmax_wasm_f32(v)
#define VDI_VSET1(x) wasm_f32x4_splat(x)
#define VDI_VZERO() wasm_f32x4_const_splat(0)
#define VDI_VADD(a, b) wasm_f32x4_add(a, b)
#define VDI_VSUB(a, b) wasm_f32x4_sub(a, b)
#define VDI_VMUL(a, b) wasm_f32x4_mul(a, b)
#define VDI_VDIV(a, b) wasm_f32x4_div(a, b)
#define VDI_VSQRT(a) wasm_f32x4_sqrt(a)
#define VDI_VABS(a) wasm_f32x4_abs(a)
#define VDI_VNEG(a) wasm_f32x4_neg(a)
/* the pseudo-minimum of (b, a) is a < b ? a : b */
#define VDI_VMIN(a, b) wasm_f32x4_pmin(b, a)
#define VDI_VMAX(a, b) wasm_f32x4_pmax(b, a)
#define VDI_VLT(a, b) wasm_f32x4_lt(a, b)
#define VDI_VLE(a, b) wasm_f32x4_le(a, b)
#define VDI_VGT(a, b) wasm_f32x4_gt(a, b)
#define VDI_VGE(a, b) wasm_f32x4_ge(a, b)
#define VDI_VEQ(a, b) wasm_f32x4_eq(a, b)
#define VDI_VNE(a, b) wasm_f32x4_ne(a, b)
#define VDI_ISET1(x) wasm_i32x4_splat(x)
#define VDI_IADD(a, b) wasm_i32x4_add(a, b)
#define VDI_ISUB(a, b) wasm_i32x4_sub(a, b)
#define VDI_ISHL(a, n) wasm_i32x4_shl(a, (uint32_t)(n))
#define VDI_ISHR(a, n) wasm_u32x4_shr(a, (uint32_t)(n))
#define VDI_ISAR(a, n) wasm_i32x4_shr(a, (uint32_t)(n))
#define VDI_TBLOCK 4
#define VDI_TRANSPOSE(s, lds, d, ldd) vdi__transpose_wasm_f32(s, lds, d, ldd)
#else
#define VDI_W 2
#define VDI_VLOADT(p, t) ((t) == VDI_W ? wasm_v128_load(p) : vdi__loadt_wasm_f64(p, t))
#define VDI_VSTORET(p, t, v) ((t) == VDI_W ? wasm_v128_store(p, v) : vdi__storet_wasm_f64(p, t, v))
#define VDI_VLOADOR(p, t, v) vdi__loador_wasm_f64(p, t, v)
#define VDI_VFIRST(v) wasm_f64x2_extract_lane(v, 0)
#define VDI_VHADD(v) vdi__hadd_wasm_f64(v)
#define VDI_VHMAX(v) vdi__hmax_wasm_f64(v)
#define VDI_VSET1(x) wasm_f64x2_splat(x)
#define VDI_VZERO() wasm_f64x2_const_splat(0)
#define VDI_VADD(a, b) wasm_f64x2_add(a, b)
#define VDI_VSUB(a, b) wasm_f64x2_sub(a, b)
#define VDI_VMUL(a, b) wasm_f64x2_mul(a, b)
#define VDI_VDIV(a, b) wasm_f64x2_div(a, b)
#define VDI_VSQRT(a) wasm_f64x2_sqrt(a)
#define VDI_VABS(a) wasm_f64x2_abs(a)
#define VDI_VNEG(a) wasm_f64x2_neg(a)
/* the pseudo-minimum of (b, a) is a < b ? a : b */
#define VDI_VMIN(a, b) wasm_f64x2_pmin(b, a)
#define VDI_VMAX(a, b) wasm_f64x2_pmax(b, a)
#define VDI_VLT(a, b) wasm_f64x2_lt(a, b)
#define VDI_VLE(a, b) wasm_f64x2_le(a, b)
#define VDI_VGT(a, b) wasm_f64x2_gt(a, b)
#define VDI_VGE(a, b) wasm_f64x2_ge(a, b)
#define VDI_VEQ(a, b) wasm_f64x2_eq(a, b)
#define VDI_VNE(a, b) wasm_f64x2_ne(a, b)
#define VDI_ISET1(x) wasm_i64x2_splat(x)
#define VDI_IADD(a, b) wasm_i64x2_add(a, b)
#define VDI_ISUB(a, b) wasm_i64x2_sub(a, b)
#define VDI_ISHL(a, n) wasm_i64x2_shl(a, (uint32_t)(n))
#define VDI_ISHR(a, n) wasm_u64x2_shr(a, (uint32_t)(n))
#define VDI_ISAR(a, n) wasm_i64x2_shr(a, (uint32_t)(n))
#define VDI_TBLOCK 2
#define VDI_TRANSPOSE(s, lds, d, ldd) vdi__transpose_wasm_f64(s, lds, d, ldd)
#endif
