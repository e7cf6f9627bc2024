/* kernel/pass.h - the kernel bodies, in the order of one pass; no guard: included once per pass */
#include "simd.h"
#include "functions_body.h"
#include "gamma_body.h"
#include "elementwise_body.h"
#include "reduce_body.h"
#include "gemm_body.h"
#include "rnn_body.h"
#include "optim_body.h"

#define VDI__NAME_OWN(name) VDI_PN(name)
#define VDI__NAME_LENT(name) VDI_LENT(name)
#define VDI__X_UNARY(op, name, whose, slope) VDI__NAME_##whose(vdi__unary_##name),
#define VDI__X_GRAD(op, name, whose, slope) VDI__NAME_##slope(vdi__unary_grad_##name),
#define VDI__X_BINARY(op, name, whose) VDI__NAME_##whose(vdi__binary_##name),
#define VDI__X(name, whose, result, args) VDI__NAME_##whose(vdi__kernel_##name),
static const vdi__kernels VDI_PN(vdi__kernels) = {{VDI__UNARY_LIST(VDI__X_UNARY)},
                                                  {VDI__UNARY_LIST(VDI__X_GRAD)},
                                                  {VDI__BINARY_LIST(VDI__X_BINARY)},
                                                  VDI__KERNELS(VDI__X)};
#undef VDI__NAME_OWN
#undef VDI__NAME_LENT
#undef VDI__X_UNARY
#undef VDI__X_GRAD
#undef VDI__X_BINARY
#undef VDI__X
/* words that several bodies share */
#undef VDI__K
#undef VDI__ONE
#undef VDI__LIBM
#undef VDI__LANES
#undef VDI__POLY
#undef VDI__SIGN_OF
#undef VDI__LN2_HI
#undef VDI__LN2_LO
#undef VDI__EXP_TOP
#undef VDI__EXP_BOTTOM
#undef VDI__SMALLEST
#undef VDI__LARGEST
#undef VDI__BLOCK
#undef VDI__BLOCK_AT
#undef VDI__BLOCK_CASE
#undef VDI__BLOCK_NEXT
#include "simd_end.h"
