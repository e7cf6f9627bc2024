/* kernel/elementwise_body.h */
#define VDI__X(name) \
    VDI_KERNEL void VDI_PN(vdi__unary_##name)(size_t n, double p, const void *x, void *y) { (void)n; (void)p; (void)x; (void)y; } \
    VDI_KERNEL void VDI_PN(vdi__unary_grad_##name)(size_t n, double p, const void *x, const void *y, const void *dy, void *dx) { (void)n; (void)p; (void)x; (void)y; (void)dy; (void)dx; }
VDI__UNARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(name) \
    VDI_KERNEL void VDI_PN(vdi__binary_##name)(size_t n, const void *a, int a_step, const void *b, int b_step, void *y) { (void)n; (void)a; (void)a_step; (void)b; (void)b_step; (void)y; }
VDI__BINARY_LIST(VDI__X)
#undef VDI__X
#define VDI__X(name, result, args) VDI_KERNEL result VDI_PN(vdi__kernel_##name) args { __builtin_trap(); }
VDI__KERNELS_ELEMENTWISE(VDI__X)
#undef VDI__X
