/* model/deepspike_infer.h - probabilities, samples, streaming
 */
#ifndef VDI_MODEL_DEEPSPIKE_INFER_H
#define VDI_MODEL_DEEPSPIKE_INFER_H
#include "../core/status.h"
#endif /* VDI_MODEL_DEEPSPIKE_INFER_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && !defined(VDI_MODEL_DEEPSPIKE_INFER_C)
#define VDI_MODEL_DEEPSPIKE_INFER_C
#endif
