/* model/deepspike.h - spikes from fluorescence by an amortised network (Speiser et al. 2017)
 */
#ifndef VDI_MODEL_DEEPSPIKE_H
#define VDI_MODEL_DEEPSPIKE_H
#include "../core/status.h"
#endif /* VDI_MODEL_DEEPSPIKE_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && !defined(VDI_MODEL_DEEPSPIKE_C)
#define VDI_MODEL_DEEPSPIKE_C
#endif
