/* linalg/table.h - the table of linalg's kernels, one constant row per path and real type (see
 * kernel/table.h) */
#ifndef VDI_LINALG_TABLE_H
#define VDI_LINALG_TABLE_H
#include "blocktri.h"
#include "dense.h"
#include "kalman.h"

/* X(name, whose, result, (arguments)): each is VDI_PN(vdi__linalg_<name>) in a body */
#define VDI__LINALG_KERNELS(X) \
    VDI__LINALG_KERNELS_DENSE(X) VDI__LINALG_KERNELS_BLOCKTRI(X) VDI__LINALG_KERNELS_KALMAN(X)

typedef struct vdi__linalg_kernels {
#define VDI__X(name, whose, result, args) result(*name) args;
    VDI__LINALG_KERNELS(VDI__X)
#undef VDI__X
} vdi__linalg_kernels;

#endif /* VDI_LINALG_TABLE_H */

#if defined(VDI__BODIES) && defined(VDI_LINALG_IMPLEMENTATION) && !defined(VDI_LINALG_TABLE_C)
#define VDI_LINALG_TABLE_C

/* a pass over the single file compiles the kernels and these together, where both are wanted */
#if !defined(VDI__SINGLE_FILE) || !defined(VDI_KERNEL_IMPLEMENTATION)
#define VDI__PASS 2
#ifdef VDI__SINGLE_FILE
#define VDI__PASS_FILE VDI_SELF
#else
#define VDI__PASS_FILE "../linalg/passes.h"
#endif
#include "../kernel/each.h" /* repeated */
#endif

static const vdi__linalg_kernels *const vdi__linalg_tables[VDI_SIMD_COUNT][2] = {
    {NULL, NULL},
    VDI__TABLE_ROWS(VDI__HAVE_SCALAR, vdi__linalg_kernels, scalar),
    VDI__TABLE_ROWS(VDI__HAVE_SSE2, vdi__linalg_kernels, sse2),
    VDI__TABLE_ROWS(VDI__HAVE_AVX2, vdi__linalg_kernels, avx2),
    VDI__TABLE_ROWS(VDI__HAVE_AVX512, vdi__linalg_kernels, avx512),
    VDI__TABLE_ROWS(VDI__HAVE_NEON, vdi__linalg_kernels, neon),
    VDI__TABLE_ROWS(VDI__HAVE_WASM, vdi__linalg_kernels, wasm),
};

VDI__INLINE const vdi__linalg_kernels *vdi__linalg_of(vdi_dtype dtype) {
    VDI_ASSERT(vdi_dtype_is_real(dtype));
    return vdi__linalg_tables[vdi__simd_load()][dtype == VDI_F64];
}
#endif
