/* model/deepspike_pretrained.h - the network in the box: conditioned on a trace's own statistics, any indicator, any frame rate
 */
#ifndef VDI_MODEL_DEEPSPIKE_PRETRAINED_H
#define VDI_MODEL_DEEPSPIKE_PRETRAINED_H
#include "../core/status.h"
#endif /* VDI_MODEL_DEEPSPIKE_PRETRAINED_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && !defined(VDI_MODEL_DEEPSPIKE_PRETRAINED_C)
#define VDI_MODEL_DEEPSPIKE_PRETRAINED_C
#endif
