/* kernel/simd.h - the vector language of one pass
 *
 * Not for users. A kernel body is compiled once per pass, that is per instruction set (VDI__ISA)
 * and real type (VDI__REAL 32 or 64). This header turns the two numbers into the words the bodies
 * are written in; simd_end.h takes them away again, so that none leaves the header. All words of
 * one pass mean the same on every path:
 *
 *   VDI_T, VDI_IT         the real type, the signed integer of its size
 *   VDI_V, VDI_I, VDI_M   vector of VDI_W reals, of as many integers, and what a comparison yields
 *   VDI_PN(name)          name with the pass's suffix: name_avx2_f32
 *   VDI_KERNEL            before a kernel: static, with the pass's target attribute
 *   VDI_LOCAL             before a helper that is always inlined into kernels; VDI_SHARED: one that
 *                         never is
 *   VDI_VLOAD(p) VDI_VSTORE(p,v) VDI_VSET1(x) VDI_VZERO()   no alignment asked
 *   VDI_TAIL, VDI_VTAIL(n), VDI_VLOADT(p,t) VDI_VSTORET(p,t,v)   the first n lanes, 0 <= n <=
 *   VDI_W; the others load as 0,
 *                                nothing beyond them is touched
 *   VDI_VLOADOR(p,t,v)           as VDI_VLOADT, but the other lanes come from v
 *   VDI_VFIRST(v)                lane 0, a real
 *   VDI_VLANE(v,j)               lane j in every lane; where it is one instruction (ask #ifdef)
 *   VDI_VHADD(v), VDI_VHMAX(v)   one real: lanes j and j + VDI_W/2 first, then on by halves; the
 *                                maximum is of lanes without NaN
 *   VDI_VADD SUB MUL DIV SQRT ABS NEG   as IEEE says
 *   VDI_VMIN(a,b) = a < b ? a : b, VDI_VMAX(a,b) = a > b ? a : b   (so a NaN in b, or in a only,
 *   gives b)
 *   VDI_VFMA(a,b,c) = a*b + c, VDI_VFNMA(a,b,c) = c - a*b   one rounding where VDI_FMA is 1, else
 *   two
 *   VDI_VLT LE GT GE EQ NE, VDI_MAND MOR MNOT, VDI_MANY(m)   comparisons (false on NaN; NE true),
 *   masks, "any lane?"
 *   VDI_VSEL(m,a,b)              m ? a : b
 *   VDI_VAND OR XOR              bits of reals
 *   VDI_VBITS(v) VDI_IBITS(i)    reinterpret real as integer and back
 *   VDI_ISET1 IADD ISUB IAND IOR IXOR ISHL(i,n) ISHR(i,n) ISAR(i,n) integer lanes; n is a constant
 *   VDI_TBLOCK, VDI_TRANSPOSE(s,lds,d,ldd)   d[j*ldd + i] = s[i*lds + j] for i, j < VDI_TBLOCK
 *   VDI_VSCALEF(v,n) VDI_VGETEXP(v) VDI_VGETMANT(v)   AVX-512 alone (ask #ifdef): v * 2^n,
 *                                                     floor(log2 v), v * 2^-k in
 *                                [0.75,1.5); right for denormals, and 0, inf, NaN give what log
 *                                needs
 *   VDI_MANT, VDI_EMAX    bits of the mantissa (23, 52), exponent bias (127, 1023)
 *   VDI_MAGIC             1.5 * 2^mantissa: x + MAGIC - MAGIC rounds to the nearest integer, and
 *                         the low bits of x + MAGIC are it
 *
 * House rules for bodies: a product that feeds a sum is written with FMA (then no compiler can
 * contract it another way); tails use VDI_VTAIL, never a scalar remainder loop; pointers come in as
 * void, since one table type serves both real types.
 */
#define VDI__CAT3_(a, b, c) a##b##c
#define VDI__CAT3(a, b, c) VDI__CAT3_(a, b, c)
#define VDI_PN(name) VDI__CAT3(name, VDI__ISA_SUFFIX, VDI__REAL_SUFFIX)
/* AVX-512 borrows from AVX2 what gains nothing by longer vectors, and has the same bits on both. */
#if VDI__ISA == VDI__ISA_AVX512 && VDI__HAVE_AVX2
#define VDI_BORROWS 1
#define VDI_LENT(name) VDI__CAT3(name, _avx2, VDI__REAL_SUFFIX)
#else
#define VDI_BORROWS 0
#define VDI_LENT(name) VDI_PN(name)
#endif

#if VDI__REAL == 32
#define VDI_T float
#define VDI_IT int32_t
#define VDI_UT uint32_t
#define VDI_MANT 23
#define VDI_EMAX 127
#define VDI_MAGIC 12582912.0f
#define VDI_DT VDI_F32
#define VDI__REAL_SUFFIX _f32
#else
#define VDI_T double
#define VDI_IT int64_t
#define VDI_UT uint64_t
#define VDI_MANT 52
#define VDI_EMAX 1023
#define VDI_MAGIC 6755399441055744.0
#define VDI_DT VDI_F64
#define VDI__REAL_SUFFIX _f64
#endif
/* A constant of the pass's type. */
#define VDI_C(x) ((VDI_T)(x))

#if VDI__ISA == VDI__ISA_SCALAR
#include "simd_scalar.h"
#elif VDI__ISA == VDI__ISA_SSE2
#include "simd_sse2.h"
#elif VDI__ISA == VDI__ISA_AVX2
#include "simd_avx2.h"
#elif VDI__ISA == VDI__ISA_AVX512
#include "simd_avx512.h"
#elif VDI__ISA == VDI__ISA_NEON
#include "simd_neon.h"
#else
#include "simd_wasm.h"
#endif

/* Before a loop with a constant count that has to be unrolled for its arrays to live in
 * registers. */
#ifndef VDI__UNROLL
#if defined(__clang__)
#define VDI__UNROLL _Pragma("unroll")
#elif defined(__GNUC__) && !defined(__TINYC__)
#define VDI__UNROLL _Pragma("GCC unroll 32")
#else
#define VDI__UNROLL
#endif
#endif

#define VDI_KERNEL VDI__UNUSED VDI__TARGET static
/* A helper that is called: code that would be long in many places. */
#define VDI_SHARED VDI__NOINLINE VDI_KERNEL
#define VDI_LOCAL VDI__UNUSED VDI__ALWAYS_INLINE VDI__TARGET static inline
/* A step of several functions: inlined where speed counts. */
#if VDI_FALLBACK
#define VDI_STEP VDI_SHARED
#else
#define VDI_STEP VDI_LOCAL
#endif
