/* kernel/table.h - the table of kernels: one constant row per path and real type, and the list of
 * their names
 *
 * Do this:
 *     for (size_t i = 0; i < vdi_kernel_count(); i++)
 *         printf("%s: %s\n", vdi_kernel_name(i), vdi_kernel_path(i, VDI_SIMD_AVX2, VDI_F32));
 */
#ifndef VDI_KERNEL_TABLE_H
#define VDI_KERNEL_TABLE_H
#include "conv.h"
#include "cpu.h"
#include "elementwise.h"
#include "gemm.h"
#include "optim.h"
#include "reduce.h"
#include "rnn.h"

/** How many kernels there are, and what they are called ("exp", "exp_grad", "gemm" ...). */
VDI_API size_t vdi_kernel_count(void);
VDI_API const char *vdi_kernel_name(size_t i);
/** What serves kernel i on that path: the path's own name, or that of the path it borrows from, or
 * "-" if the path is not in this build. */
VDI_API const char *vdi_kernel_path(size_t i, vdi_simd simd, vdi_dtype dtype);

/* ---- private: a row of the table ---------------------------------------------------------------
 * Each path compiles what is OWN; AVX-512 borrows what is LENT from AVX2 (kernel/simd.h).
 */
#define VDI__KERNELS(X)         \
    VDI__KERNELS_ELEMENTWISE(X) \
    VDI__KERNELS_REDUCE(X) VDI__KERNELS_GEMM(X) VDI__KERNELS_RNN(X) VDI__KERNELS_OPTIM(X)

typedef struct vdi__kernels {
    vdi__unary_fn *unary[VDI_UNARY_COUNT];
    vdi__unary_grad_fn *unary_grad[VDI_UNARY_COUNT];
    vdi__binary_fn *binary[VDI_BINARY_COUNT];
#define VDI__X(name, whose, result, args) result(*name) args;
    VDI__KERNELS(VDI__X)
#undef VDI__X
} vdi__kernels;

/* The two rows of a path, or none. */
#define VDI__TABLE_ROWS_0(table, path) \
    { NULL, NULL }
#define VDI__TABLE_ROWS_1(table, path) \
    { &table##_##path##_f32, &table##_##path##_f64 }
#define VDI__TABLE_ROWS_(have, table, path) VDI__TABLE_ROWS_##have(table, path)
#define VDI__TABLE_ROWS(have, table, path) VDI__TABLE_ROWS_(have, table, path)

#if VDI__PART
VDI__LINK const vdi__kernels *vdi__kernels_of(vdi_dtype dtype);
#endif

#endif /* VDI_KERNEL_TABLE_H */

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_TABLE_C)
#define VDI_KERNEL_TABLE_C

#define VDI__PASS 1
#ifdef VDI__SINGLE_FILE
#define VDI__PASS_FILE VDI_SELF
#else
#define VDI__PASS_FILE "passes.h"
#endif
#include "each.h" /* repeated */

static const vdi__kernels *const vdi__kernel_tables[VDI_SIMD_COUNT][2] = {
    {NULL, NULL},
    VDI__TABLE_ROWS(VDI__HAVE_SCALAR, vdi__kernels, scalar),
    VDI__TABLE_ROWS(VDI__HAVE_SSE2, vdi__kernels, sse2),
    VDI__TABLE_ROWS(VDI__HAVE_AVX2, vdi__kernels, avx2),
    VDI__TABLE_ROWS(VDI__HAVE_AVX512, vdi__kernels, avx512),
    VDI__TABLE_ROWS(VDI__HAVE_NEON, vdi__kernels, neon),
    VDI__TABLE_ROWS(VDI__HAVE_WASM, vdi__kernels, wasm),
};

/* The kernels in use for a real dtype. */
VDI__LINK const vdi__kernels *vdi__kernels_of(vdi_dtype dtype) {
    VDI_ASSERT(vdi_dtype_is_real(dtype));
    return vdi__kernel_tables[vdi__simd_load()][dtype == VDI_F64];
}

static const char *const vdi__kernel_names[] = {
#define VDI__X(op, name, ...) #name,
    VDI__UNARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(op, name, ...) #name "_grad",
        VDI__UNARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(op, name, ...) #name,
            VDI__BINARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(name, whose, result, args) #name,
                VDI__KERNELS(VDI__X)
#undef VDI__X
};

VDI__DEF size_t vdi_kernel_count(void) { return VDI__COUNT(vdi__kernel_names); }
VDI__DEF const char *vdi_kernel_name(size_t i) {
    return i < vdi_kernel_count() ? vdi__kernel_names[i] : NULL;
}

/* Whose is the function that stands there? Its own path's, or that of a row which has it, too. */
VDI__DEF const char *vdi_kernel_path(size_t i, vdi_simd simd, vdi_dtype dtype) {
    typedef void (*any_fn)(void);
    any_fn own, other;
    if (i >= vdi_kernel_count() || (unsigned)simd >= VDI_SIMD_COUNT || !vdi_dtype_is_real(dtype))
        return "-";
    const vdi__kernels *row = vdi__kernel_tables[simd][dtype == VDI_F64];
    if (!row) return "-";
    memcpy(&own, (const char *)row + i * sizeof own, sizeof own);
    for (int s = VDI_SIMD_SCALAR; s < (int)simd; s++) {
        const vdi__kernels *before = vdi__kernel_tables[s][dtype == VDI_F64];
        if (!before) continue;
        memcpy(&other, (const char *)before + i * sizeof other, sizeof other);
        if (own == other) return vdi_simd_name((vdi_simd)s);
    }
    return vdi_simd_name(simd);
}
#endif
