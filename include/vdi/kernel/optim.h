/* kernel/optim.h - the inner loops of the optimisers
 *
 * Each updates n parameters w from their gradient g; m and v are the optimiser's memory. Plain
 * loops over arrays: what learns when, schedules and clipping are in grad/optim.h.
 */
#ifndef VDI_KERNEL_OPTIM_H
#define VDI_KERNEL_OPTIM_H
#include "cpu.h"

#define VDI__KERNELS_OPTIM(X)                                                                   \
    X(adam, LENT, void,                                                                         \
      (size_t n, void *w, const void *g, void *m, void *v, double step, double beta1,           \
       double beta2, double eps, double decay, double gscale))                                  \
    X(rmsprop, LENT, void,                                                                      \
      (size_t n, void *w, const void *g, void *v, void *m, double step, double rho, double eps, \
       double momentum, double decay, double gscale))                                           \
    X(sgd, LENT, void,                                                                          \
      (size_t n, void *w, const void *g, void *m, double step, double momentum, double decay,   \
       double gscale))

/** Adam (Kingma and Ba 2015) with decoupled decay (Loshchilov and Hutter 2019). With g' = gscale g:
 *  m = beta1 m + (1-beta1) g';  v = beta2 v + (1-beta2) g'^2;
 *  w -= step m / (sqrt(v) + eps) + decay w.
 *  The caller puts the bias corrections into `step` and `eps`: step = lr
 *  sqrt(1-beta2^t)/(1-beta1^t), eps sqrt(1-beta2^t); decay = lr *
 * weight decay. */
VDI_API void vdi_adam_kernel(vdi_dtype dtype, size_t n, void *w, const void *g, void *m, void *v,
                             double step, double beta1, double beta2, double eps, double decay,
                             double gscale);
/** RMSprop (Tieleman and Hinton 2012): v = rho v + (1-rho) g'^2; m = momentum m + g' / (sqrt(v) +
 * eps); w -= step m + decay w. m may be NULL if momentum is 0. */
VDI_API void vdi_rmsprop_kernel(vdi_dtype dtype, size_t n, void *w, const void *g, void *v, void *m,
                                double step, double rho, double eps, double momentum, double decay,
                                double gscale);
/** SGD: m = momentum m + g'; w -= step m + decay w. m may be NULL if momentum is 0. */
VDI_API void vdi_sgd_kernel(vdi_dtype dtype, size_t n, void *w, const void *g, void *m, double step,
                            double momentum, double decay, double gscale);

#endif /* VDI_KERNEL_OPTIM_H */

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_OPTIM_C)
#define VDI_KERNEL_OPTIM_C
VDI__DEF void vdi_adam_kernel(vdi_dtype dtype, size_t n, void *w, const void *g, void *m, void *v,
                              double step, double beta1, double beta2, double eps, double decay,
                              double gscale) {
    vdi__kernels_of(dtype)->adam(n, w, g, m, v, step, beta1, beta2, eps, decay, gscale);
}
VDI__DEF void vdi_rmsprop_kernel(vdi_dtype dtype, size_t n, void *w, const void *g, void *v,
                                 void *m, double step, double rho, double eps, double momentum,
                                 double decay, double gscale) {
    vdi__kernels_of(dtype)->rmsprop(n, w, g, v, m, step, rho, eps, momentum, decay, gscale);
}
VDI__DEF void vdi_sgd_kernel(vdi_dtype dtype, size_t n, void *w, const void *g, void *m,
                             double step, double momentum, double decay, double gscale) {
    vdi__kernels_of(dtype)->sgd(n, w, g, m, step, momentum, decay, gscale);
}
#endif
