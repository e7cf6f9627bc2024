/* kernel/cpu.h - which instruction set the kernels use
 *
 * Do this (or nothing: the best path is chosen automatically at the first kernel call):
 *     puts(vdi_simd_name(vdi_simd_active()));   "avx512"
 *     vdi_simd_set(VDI_SIMD_AVX2);   never above this from here on (for tests and comparisons)
 *
 * Every kernel is compiled once per instruction set (a "path") and per real type; one index, set
 * once with the compiler's atomic builtins, says which is in use, and beside it the size of the
 * cache that blocks are cut for. It is the only mutable global of vdi. Changing it while other
 * threads compute is safe, but their results then come from either path.
 */
#ifndef VDI_KERNEL_CPU_H
#define VDI_KERNEL_CPU_H
#include "../core/tensor.h"

/** Instruction sets, and AUTO: the best that this processor and this build offer. */
typedef enum vdi_simd {
    VDI_SIMD_AUTO = 0,
    VDI_SIMD_SCALAR = 1,
    VDI_SIMD_SSE2 = 2,
    VDI_SIMD_AVX2 = 3,   /**< with FMA */
    VDI_SIMD_AVX512 = 4, /**< F, DQ, BW, VL */
    VDI_SIMD_NEON = 5,   /**< aarch64 */
    VDI_SIMD_WASM = 6    /**< WebAssembly compiled with -msimd128 */
} vdi_simd;
/** How many values vdi_simd has, AUTO among them. */
#define VDI_SIMD_COUNT 7

/** "auto", "scalar", "sse2", "avx2", "avx512", "neon", "simd128". */
VDI_API const char *vdi_simd_name(vdi_simd simd);
/** Can this build on this processor run that path? */
VDI_API bool vdi_simd_available(vdi_simd simd);
/** The path in use. */
VDI_API vdi_simd vdi_simd_active(void);
/** Use this path from now on; VDI_SIMD_AUTO goes back to the best. VDI_ERR_UNSUPPORTED if it is not
 * available. */
VDI_API vdi_status vdi_simd_set(vdi_simd simd);

/* The values of VDI__ISA in a pass are those of vdi_simd. */
#define VDI__ISA_SCALAR 1
#define VDI__ISA_SSE2 2
#define VDI__ISA_AVX2 3
#define VDI__ISA_AVX512 4
#define VDI__ISA_NEON 5
#define VDI__ISA_WASM 6

/* Which paths this build contains. */
#if !defined(VDI_NO_SIMD) && VDI__GNU && !defined(__TINYC__)
#if defined(__x86_64__) || defined(__i386__)
#ifndef VDI_NO_SSE2
#define VDI__HAVE_SSE2 1
#endif
#ifndef VDI_NO_AVX2
#define VDI__HAVE_AVX2 1
#endif
#ifndef VDI_NO_AVX512
#define VDI__HAVE_AVX512 1
#endif
#elif defined(__aarch64__) && !defined(VDI_NO_NEON)
#define VDI__HAVE_NEON 1
#elif defined(__wasm_simd128__)
#define VDI__HAVE_WASM 1
#endif
#endif
#ifndef VDI__HAVE_SSE2
#define VDI__HAVE_SSE2 0
#endif
#ifndef VDI__HAVE_AVX2
#define VDI__HAVE_AVX2 0
#endif
#ifndef VDI__HAVE_AVX512
#define VDI__HAVE_AVX512 0
#endif
#ifndef VDI__HAVE_NEON
#define VDI__HAVE_NEON 0
#endif
#ifndef VDI__HAVE_WASM
#define VDI__HAVE_WASM 0
#endif

/* The scalar path is there where no vector path is certain to run, or where it is asked for: the
 * tests hold the others against it. */
#if defined(VDI_ALL_PATHS)
#define VDI__HAVE_SCALAR 1
#elif VDI__HAVE_NEON || VDI__HAVE_WASM
#define VDI__HAVE_SCALAR 0
#elif VDI__HAVE_SSE2 && defined(__SSE2__)
#define VDI__HAVE_SCALAR 0
#else
#define VDI__HAVE_SCALAR 1
#endif

#if VDI__PART
VDI__LINK int vdi__simd_load(void);
#endif

#endif /* VDI_KERNEL_CPU_H */

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_CPU_C)
#define VDI_KERNEL_CPU_C

#if VDI__HAVE_SSE2 || VDI__HAVE_AVX2 || VDI__HAVE_AVX512
#include <cpuid.h>
#endif

/* The path in the low byte (0: not looked for yet), KiB of second-level cache above it. */
static int vdi__simd_index = 0;

/* KiB of a core's second-level cache; 512 where nobody says. Leaf 0x80000006 of Intel and AMD. */
VDI__FN int vdi__cache_find(void) {
    unsigned kib = 0;
#if VDI__HAVE_SSE2 || VDI__HAVE_AVX2 || VDI__HAVE_AVX512
    unsigned a, b, c, d;
    if (__get_cpuid(0x80000006u, &a, &b, &c, &d)) kib = c >> 16;
#endif
    return kib ? (int)kib : 512;
}

VDI__DEF const char *vdi_simd_name(vdi_simd simd) {
    static const char *const name[VDI_SIMD_COUNT] = {"auto",   "scalar", "sse2",   "avx2",
                                                     "avx512", "neon",   "simd128"};
    return (unsigned)simd < VDI_SIMD_COUNT ? name[simd] : "?";
}

VDI__DEF bool vdi_simd_available(vdi_simd simd) {
    switch (simd) {
    case VDI_SIMD_AUTO: return true;
#if VDI__HAVE_SCALAR
    case VDI_SIMD_SCALAR: return true;
#endif
#if VDI__HAVE_SSE2
    case VDI_SIMD_SSE2: return __builtin_cpu_supports("sse2") != 0;
#endif
#if VDI__HAVE_AVX2
    case VDI_SIMD_AVX2:
        return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#endif
#if VDI__HAVE_AVX512
    case VDI_SIMD_AVX512:
        return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
               __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
               __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#endif
#if VDI__HAVE_NEON
    case VDI_SIMD_NEON: return true;
#endif
#if VDI__HAVE_WASM
    case VDI_SIMD_WASM: return true;
#endif
    default: return false;
    }
}

VDI__FN int vdi__simd_best(void) {
    static const vdi_simd order[] = {VDI_SIMD_AVX512, VDI_SIMD_AVX2, VDI_SIMD_SSE2, VDI_SIMD_NEON,
                                     VDI_SIMD_WASM};
#if VDI__HAVE_SSE2 || VDI__HAVE_AVX2 || VDI__HAVE_AVX512
    __builtin_cpu_init();
#endif
    for (size_t i = 0; i < VDI__COUNT(order); i++)
        if (vdi_simd_available(order[i])) return (int)order[i];
    return VDI_SIMD_SCALAR;
}

VDI__FN void vdi__simd_store(int path) {
    const int index = path | (vdi__cache_find() << 8);
#if VDI__GNU && !defined(__TINYC__)
    __atomic_store_n(&vdi__simd_index, index, __ATOMIC_RELAXED);
#else
    vdi__simd_index = index;
#endif
}

VDI__FN int vdi__simd_word(void) {
#if VDI__GNU && !defined(__TINYC__)
    int index = __atomic_load_n(&vdi__simd_index, __ATOMIC_RELAXED);
#else
    int index = vdi__simd_index;
#endif
    if (VDI__UNLIKELY(index == 0)) { /* every thread finds the same, so a race is harmless */
        vdi__simd_store(vdi__simd_best());
        return vdi__simd_word();
    }
    return index;
}

VDI__LINK int vdi__simd_load(void) { return vdi__simd_word() & 255; }

/* Bytes of a core's second-level cache: how large blocks are, never what a result is. */
VDI__FN size_t vdi__cache_bytes(void) { return (size_t)(vdi__simd_word() >> 8) << 10; }

VDI__DEF vdi_simd vdi_simd_active(void) { return (vdi_simd)vdi__simd_load(); }

VDI__DEF vdi_status vdi_simd_set(vdi_simd simd) {
    (void)vdi__simd_load(); /* the processor must have been asked once before vdi_simd_available */
    if (!vdi_simd_available(simd)) return VDI_ERR_UNSUPPORTED;
    vdi__simd_store(simd == VDI_SIMD_AUTO ? vdi__simd_best() : (int)simd);
    return VDI_OK;
}
#endif
