/* kernel/simd_scalar.h - the vector language with vectors of one: the reference that every other
 * path is held against */
#define VDI__ISA_SUFFIX _scalar
#define VDI__TARGET
#define VDI_W 1
#define VDI_REGISTERS 16
#define VDI_FALLBACK 1
#define VDI_MASKS 0
#define VDI_V VDI_T
#define VDI_I VDI_IT
#define VDI_M bool
#define VDI_TAIL int
#define VDI_VTAIL(n) ((int)(n))
#define VDI_VLOAD(p) (*(p))
#define VDI_VSTORE(p, v) ((void)(*(p) = (v)))
#define VDI_VLOADT(p, t) ((t) ? *(p) : (VDI_T)0)
#define VDI_VSTORET(p, t, v) ((void)((t) && ((*(p) = (v)), true)))
#define VDI_VLOADOR(p, t, v) ((t) ? *(p) : (v))
#define VDI_VLANE(v, j) ((void)(j), (v))
#define VDI_VFIRST(v) (v)
#define VDI_VHADD(v) (v)
#define VDI_VHMAX(v) (v)
/* A step is rounded to the type, also where the compiler keeps more digits between steps: else
 * x + MAGIC - MAGIC would not round. With FLT_EVAL_METHOD 1 (s390x) a cast does it; for x87, whose
 * compilers drop casts in GNU modes, it takes memory. */
#if VDI__EXCESS == 0 || (VDI__EXCESS == 1 && VDI__REAL == 64)
#define VDI__ROUNDED(x) (x)
#elif VDI__EXCESS == 1
#define VDI__ROUNDED(x) ((VDI_T)(x))
#elif VDI__REAL == 32
#define VDI__ROUNDED(x) vdi__rounded_f32(x)
#else
#define VDI__ROUNDED(x) vdi__rounded_f64(x)
#endif
#define VDI_VSET1(x) ((VDI_T)(x))
#define VDI_VZERO() ((VDI_T)0)
#define VDI_VADD(a, b) VDI__ROUNDED((a) + (b))
#define VDI_VSUB(a, b) VDI__ROUNDED((a) - (b))
#define VDI_VMUL(a, b) VDI__ROUNDED((a) * (b))
#define VDI_VDIV(a, b) VDI__ROUNDED((a) / (b))
#define VDI_VNEG(a) (-(a))
#define VDI_VMIN(a, b) ((a) < (b) ? (a) : (b))
#define VDI_VMAX(a, b) ((a) > (b) ? (a) : (b))
#if VDI__REAL == 32
#define VDI_VSQRT(a) VDI__ROUNDED(sqrtf(a))
#define VDI_VABS(a) fabsf(a)
#define VDI_VBITS(v) vdi__bits_of_f32(v)
#define VDI_IBITS(i) vdi__f32_of_bits(i)
#ifdef __FP_FAST_FMAF
#define VDI_FMA 1
#define VDI_VFMA(a, b, c) fmaf(a, b, c)
#define VDI_VFNMA(a, b, c) fmaf(-(a), b, c)
#endif
#else
#define VDI_VSQRT(a) VDI__ROUNDED(sqrt(a))
#define VDI_VABS(a) fabs(a)
#define VDI_VBITS(v) vdi__bits_of_f64(v)
#define VDI_IBITS(i) vdi__f64_of_bits(i)
#ifdef __FP_FAST_FMA
#define VDI_FMA 1
#define VDI_VFMA(a, b, c) fma(a, b, c)
#define VDI_VFNMA(a, b, c) fma(-(a), b, c)
#endif
#endif
#ifndef VDI_FMA
#define VDI_FMA 0
#define VDI_VFMA(a, b, c) VDI_VADD(VDI_VMUL(a, b), c)
#define VDI_VFNMA(a, b, c) VDI_VSUB(c, VDI_VMUL(a, b))
#endif
#define VDI_VLT(a, b) ((a) < (b))
#define VDI_VLE(a, b) ((a) <= (b))
#define VDI_VGT(a, b) ((a) > (b))
#define VDI_VGE(a, b) ((a) >= (b))
#define VDI_VEQ(a, b) ((a) == (b))
#define VDI_VNE(a, b) ((a) != (b))
#define VDI_MAND(a, b) ((a) && (b))
#define VDI_MOR(a, b) ((a) || (b))
#define VDI_MNOT(a) (!(a))
#define VDI_MANY(m) (m)
#define VDI_VSEL(m, a, b) ((m) ? (a) : (b))
#define VDI_VAND(a, b) VDI_IBITS(VDI_VBITS(a) & VDI_VBITS(b))
#define VDI_VOR(a, b) VDI_IBITS(VDI_VBITS(a) | VDI_VBITS(b))
#define VDI_VXOR(a, b) VDI_IBITS(VDI_VBITS(a) ^ VDI_VBITS(b))
#define VDI_ISET1(x) ((VDI_IT)(x))
#define VDI_IADD(a, b) ((VDI_IT)((VDI_UT)(a) + (VDI_UT)(b)))
#define VDI_ISUB(a, b) ((VDI_IT)((VDI_UT)(a) - (VDI_UT)(b)))
#define VDI_IAND(a, b) ((a) & (b))
#define VDI_IOR(a, b) ((a) | (b))
#define VDI_IXOR(a, b) ((a) ^ (b))
#define VDI_ISHL(a, n) ((VDI_IT)((VDI_UT)(a) << (n)))
#define VDI_ISHR(a, n) ((VDI_IT)((VDI_UT)(a) >> (n)))
#define VDI_ISAR(a, n) ((a) >> (n))
#define VDI_TBLOCK 1
#define VDI_TRANSPOSE(s, lds, d, ldd) ((void)(*(d) = *(s)))
