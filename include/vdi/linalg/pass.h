/* linalg/pass.h - the bodies of linalg, in the order of one pass; no guard: included once per
 * pass */
#include "../kernel/simd.h"
#include "dense_body.h"
#include "blocktri_tile_body.h"
#include "blocktri_front_body.h"
#include "blocktri_chain_body.h"
#include "blocktri_move_body.h"
#include "kalman_body.h"

static const vdi__linalg_kernels VDI_PN(vdi__linalg_kernels) = {
#define VDI__NAME_OWN(name) VDI_PN(name)
#define VDI__NAME_LENT(name) VDI_LENT(name)
#define VDI__X(name, whose, result, args) VDI__NAME_##whose(vdi__linalg_##name),
    VDI__LINALG_KERNELS(VDI__X)
#undef VDI__X
#undef VDI__NAME_OWN
#undef VDI__NAME_LENT
};
#include "../kernel/simd_end.h"
