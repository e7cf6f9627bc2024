/* core/config.h - compiler, platform, switches
 *
 * The first header of all: it knows which implementation parts are wanted, what the compiler can do
 * and which switches the user has set.
 *
 * Switches (define before every include of vdi, or not at all; no struct layout depends on one):
 *   VDI_IMPLEMENTATION   compile everything here; in exactly one C or C++ file
 *   VDI_IMPLEMENTATION_PART   with it: 1, 2, 3 or 4, a quarter of everything, for files that
 *                   compile side by side; all four are linked, each quarter once. Cost: calls
 *                   between quarters are not inlined
 *   VDI_CORE_IMPLEMENTATION   only core; likewise VDI_KERNEL_, VDI_LINALG_, VDI_GRAD_, VDI_IO_,
 *                             VDI_MODEL_, and one per
 *                   model (VDI_LDS_IMPLEMENTATION ...); each brings what it stands on. Cost:
 *                   compile time only
 *   VDI_STATIC      every function and table is static: several files may each have their own copy
 *   VDI_PRETRAINED_WEIGHTS   bring the weights of the pretrained network, vdi_pretrained_shipped
 *                   (vdi_weights.h): 0.1 s of compile time and 220 KB in each file that uses them
 *   VDI_INLINE_SYMBOLS   the few functions that are inline become symbols: for the one file of a
 *                   library that other languages call
 *   VDI_API         what stands before a public declaration (default: extern "C" where needed, or
 *                   static)
 *   VDI_ASSERT(x)   internal checks; default: nothing. An assertion that fails is a bug in vdi,
 *                   never bad input
 *   VDI_NO_SIMD     scalar code alone: smallest object, 5 to 20 times slower
 *   VDI_NO_SSE2, VDI_NO_AVX2, VDI_NO_AVX512, VDI_NO_NEON   leave one path out: shorter compile,
 *                                                          smaller object
 *   VDI_ALL_PATHS    the scalar path, too, where the processor is sure to have a vector path: for
 *                    comparisons; a fifth more to compile
 *   VDI_NO_THREADS   no pthreads or Win32 threads: a pool runs its jobs on the caller; same results
 *   VDI_NO_STDIO     no <stdio.h>: io then reads and writes through callbacks alone
 *   VDI_SELF         the name by which the single file can include itself (default "vdi.h"; set it
 *                    for a renamed copy)
 */
#ifndef VDI_CORE_CONFIG_H
#define VDI_CORE_CONFIG_H

/** Version of this header: major.minor.patch, as numbers and as text. */
#define VDI_VERSION_MAJOR 0
#define VDI_VERSION_MINOR 1
#define VDI_VERSION_PATCH 0
#define VDI_VERSION "0.1.0"
/** The same as one number, 10000 major + 100 minor + patch, for the preprocessor. */
#define VDI_VERSION_NUMBER (VDI_VERSION_MAJOR * 10000 + VDI_VERSION_MINOR * 100 + VDI_VERSION_PATCH)

/* Flags that change the arithmetic, as far as compilers tell: gcc names each, clang only the sum of
 * them and -ffinite-math-only, MSVC /fp:fast. */
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    defined(_M_FP_FAST)
#error "vdi: compile without -ffast-math, -funsafe-math-optimizations, -fassociative-math, /fp:fast"
#endif
#if defined(__FINITE_MATH_ONLY__)
#if __FINITE_MATH_ONLY__ > 0
#error "vdi: compile without -ffinite-math-only; vdi has to see NaN and infinity"
#endif
#endif

/* Which quarter of the implementation (the list is at the end of this file); 0: it is not cut. */
#if defined(VDI_IMPLEMENTATION_PART)
#define VDI__PART VDI_IMPLEMENTATION_PART
#if VDI__PART < 1 || VDI__PART > 4
#error "vdi: VDI_IMPLEMENTATION_PART is 1, 2, 3 or 4"
#elif defined(VDI_STATIC)
#error "vdi: parts are linked with each other, so that they cannot be static (VDI_STATIC)"
#endif
#else
#define VDI__PART 0
#endif

#include "system.h"

#if defined(__GNUC__) || defined(__clang__)
#define VDI__GNU 1
#else
#define VDI__GNU 0
#endif

/* Does the compiler take a level of optimisation for a part of a file, and does the user want
 * speed? (core/glue_begin.h) */
#if VDI__GNU && !defined(__clang__) && !defined(__TINYC__) && defined(__OPTIMIZE__) && \
    !defined(__OPTIMIZE_SIZE__)
#define VDI__PRAGMAS 1
#else
#define VDI__PRAGMAS 0
#endif

#if VDI__GNU
#define VDI__UNUSED __attribute__((unused))
/** Before a function whose status may not be ignored. */
#define VDI_NODISCARD __attribute__((warn_unused_result))
/* printf of mingw means Microsoft's, which has no %zu */
#if defined(__MINGW32__) && !defined(__clang__)
#define VDI__PRINTF(fmt, args) __attribute__((format(gnu_printf, fmt, args)))
#else
#define VDI__PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#endif
#define VDI__LIKELY(x) __builtin_expect(!!(x), 1)
#define VDI__UNLIKELY(x) __builtin_expect(!!(x), 0)
#define VDI__ALWAYS_INLINE __attribute__((always_inline))
#define VDI__NOINLINE __attribute__((noinline))
#else
#define VDI__UNUSED
#define VDI_NODISCARD
#define VDI__PRINTF(fmt, args)
#define VDI__LIKELY(x) (x)
#define VDI__UNLIKELY(x) (x)
#define VDI__ALWAYS_INLINE
#define VDI__NOINLINE
#endif

#ifdef __cplusplus
#define VDI__ZERO \
    {}
#define VDI_RESTRICT __restrict
#else
#define VDI__ZERO \
    { 0 }
#if defined(__TINYC__)
#define VDI_RESTRICT
#else
/** C's restrict, where the language and the compiler have it. */
#define VDI_RESTRICT restrict
#endif
#endif

/* extern "C" stands on each declaration, so that VDI_STATIC needs no bracket around the whole
 * header. */
#ifndef VDI_API
#if defined(VDI_STATIC)
#define VDI_API VDI__UNUSED static
#elif defined(__cplusplus)
#define VDI_API extern "C"
#else
#define VDI_API extern
#endif
#endif
#if defined(VDI_STATIC)
#define VDI__DEF VDI__UNUSED static
#elif defined(__cplusplus)
#define VDI__DEF extern "C"
#else
#define VDI__DEF
#endif
/* A function that only the implementation sees. */
#define VDI__FN VDI__UNUSED static
/* Likewise one that several parts use; each has a prototype among the declarations of its header,
 * for implementations in parts. */
#if VDI__PART
#define VDI__LINK VDI__DEF
#else
#define VDI__LINK VDI__FN
#endif
/* A small function in the declarations: static in every file. */
#if defined(VDI_INLINE_SYMBOLS)
#define VDI__INLINE VDI_API
#else
#define VDI__INLINE VDI__UNUSED static inline
#endif

#ifndef VDI_ASSERT
/** A check of vdi's own invariants; define it before the include to switch it on. Never a check of
 * input. */
#define VDI_ASSERT(x) ((void)0)
#endif

#define VDI__MIN(a, b) ((a) < (b) ? (a) : (b))
#define VDI__MAX(a, b) ((a) > (b) ? (a) : (b))
#define VDI__COUNT(a) (sizeof(a) / sizeof((a)[0]))

/** pi, and log(2 pi), as double. */
#define VDI_PI 3.14159265358979323846
#define VDI_LOG_2PI 1.83787706640934548356

#endif /* VDI_CORE_CONFIG_H */

/* Which parts to compile: outside the guard, since an implementation may be asked for by a later
 * include. */
#if defined(VDI_IMPLEMENTATION) && VDI__PART && !defined(VDI__WANTED)
#if VDI__PART == 1
#define VDI_CORE_IMPLEMENTATION
#define VDI_KERNEL_IMPLEMENTATION
#elif VDI__PART == 2
#define VDI_LINALG_IMPLEMENTATION
#elif VDI__PART == 3
#define VDI_GRAD_IMPLEMENTATION
#define VDI_CALCIUM_IMPLEMENTATION
#define VDI_DEEPSPIKE_IMPLEMENTATION
#define VDI_PRETRAINED_IMPLEMENTATION
#define VDI_ENV_IMPLEMENTATION
#define VDI_SACD_IMPLEMENTATION
#elif VDI__PART == 4
#define VDI_LDS_IMPLEMENTATION
#define VDI_PLDS_IMPLEMENTATION
#define VDI_VILDS_IMPLEMENTATION
#define VDI_SCORE_IMPLEMENTATION
#define VDI_OASIS_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#endif
#define VDI__WANTED
#elif !VDI__PART
#if defined(VDI_IMPLEMENTATION)
#ifndef VDI_IO_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#endif
#ifndef VDI_MODEL_IMPLEMENTATION
#define VDI_MODEL_IMPLEMENTATION
#endif
#endif
#if defined(VDI_MODEL_IMPLEMENTATION)
#ifndef VDI_GRAD_IMPLEMENTATION
#define VDI_GRAD_IMPLEMENTATION
#endif
#ifndef VDI_PLDS_IMPLEMENTATION
#define VDI_PLDS_IMPLEMENTATION
#endif
#ifndef VDI_SCORE_IMPLEMENTATION
#define VDI_SCORE_IMPLEMENTATION
#endif
#ifndef VDI_VILDS_IMPLEMENTATION
#define VDI_VILDS_IMPLEMENTATION
#endif
#ifndef VDI_OASIS_IMPLEMENTATION
#define VDI_OASIS_IMPLEMENTATION
#endif
#ifndef VDI_DEEPSPIKE_IMPLEMENTATION
#define VDI_DEEPSPIKE_IMPLEMENTATION
#endif
#ifndef VDI_PRETRAINED_IMPLEMENTATION
#define VDI_PRETRAINED_IMPLEMENTATION
#endif
#ifndef VDI_SACD_IMPLEMENTATION
#define VDI_SACD_IMPLEMENTATION
#endif
#endif
#if defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_ENV_IMPLEMENTATION)
#define VDI_ENV_IMPLEMENTATION
#endif
#if defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_GRAD_IMPLEMENTATION)
#define VDI_GRAD_IMPLEMENTATION
#endif
#if defined(VDI_DEEPSPIKE_IMPLEMENTATION) && !defined(VDI_CALCIUM_IMPLEMENTATION)
#define VDI_CALCIUM_IMPLEMENTATION
#endif
#if (defined(VDI_CALCIUM_IMPLEMENTATION) || defined(VDI_PRETRAINED_IMPLEMENTATION)) && \
    !defined(VDI_GRAD_IMPLEMENTATION)
#define VDI_GRAD_IMPLEMENTATION
#endif
#if defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_PLDS_IMPLEMENTATION)
#define VDI_PLDS_IMPLEMENTATION
#endif
#if defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_GRAD_IMPLEMENTATION)
#define VDI_GRAD_IMPLEMENTATION
#endif
#if defined(VDI_PLDS_IMPLEMENTATION) && !defined(VDI_LDS_IMPLEMENTATION)
#define VDI_LDS_IMPLEMENTATION
#endif
#if (defined(VDI_GRAD_IMPLEMENTATION) || defined(VDI_LDS_IMPLEMENTATION) || \
     defined(VDI_SCORE_IMPLEMENTATION)) &&                                  \
    !defined(VDI_LINALG_IMPLEMENTATION)
#define VDI_LINALG_IMPLEMENTATION
#endif
#if defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_KERNEL_IMPLEMENTATION)
#define VDI_KERNEL_IMPLEMENTATION
#endif
#if (defined(VDI_KERNEL_IMPLEMENTATION) || defined(VDI_IO_IMPLEMENTATION) ||  \
     defined(VDI_ENV_IMPLEMENTATION) || defined(VDI_OASIS_IMPLEMENTATION)) && \
    !defined(VDI_CORE_IMPLEMENTATION)
#define VDI_CORE_IMPLEMENTATION
#endif
#if defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI__WANTED)
#define VDI__WANTED
#endif
#endif /* !VDI__PART */
