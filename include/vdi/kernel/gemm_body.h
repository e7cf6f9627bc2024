/* kernel/gemm_body.h */
#define VDI__X(name, result, args) VDI_KERNEL result VDI_PN(vdi__kernel_##name) args { __builtin_trap(); }
VDI__KERNELS_GEMM(VDI__X)
#undef VDI__X
