/* kernel/pass.h - the kernel bodies, in the order of one pass; no guard: included once per pass */
#include "simd.h"
#include "elementwise_body.h"
#include "reduce_body.h"
#include "gemm_body.h"
#include "rnn_body.h"
#include "optim_body.h"

static const vdi__kernels VDI_PN(vdi__kernels) = {{
#define VDI__X(name) VDI_PN(vdi__unary_##name),
                                                      VDI__UNARY_LIST(VDI__X)
#undef VDI__X
                                                  },
                                                  {
#define VDI__X(name) VDI_PN(vdi__unary_grad_##name),
                                                      VDI__UNARY_LIST(VDI__X)
#undef VDI__X
                                                  },
                                                  {
#define VDI__X(name) VDI_PN(vdi__binary_##name),
                                                      VDI__BINARY_LIST(VDI__X)
#undef VDI__X
                                                  },
#define VDI__X(name, result, args) VDI_PN(vdi__kernel_##name),
                                                  VDI__KERNELS(VDI__X)
#undef VDI__X
};
#include "simd_end.h"
