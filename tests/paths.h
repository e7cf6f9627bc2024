/* tests/paths.h - the SIMD paths of this machine, one after the other */
#ifndef VDI_TESTS_PATHS_H
#define VDI_TESTS_PATHS_H
#include "check.h"

/** Runs what follows on each path that there is; set VDI_SIMD_AUTO behind it. */
#define FOR_EACH_PATH(simd)                                         \
    for (int simd = VDI_SIMD_SCALAR; simd < VDI_SIMD_COUNT; simd++) \
        if (vdi_simd_set((vdi_simd)simd) == VDI_OK)

/** Does that path round a product and a sum once? */
static inline bool has_fma(int simd) {
    return simd == VDI_SIMD_AVX2 || simd == VDI_SIMD_AVX512 || simd == VDI_SIMD_NEON;
}
#endif
