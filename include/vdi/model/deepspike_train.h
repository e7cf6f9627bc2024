/* model/deepspike_train.h - multi-sample bounds and their gradients
 */
#ifndef VDI_MODEL_DEEPSPIKE_TRAIN_H
#define VDI_MODEL_DEEPSPIKE_TRAIN_H
#include "../core/status.h"
#endif /* VDI_MODEL_DEEPSPIKE_TRAIN_H */

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && !defined(VDI_MODEL_DEEPSPIKE_TRAIN_C)
#define VDI_MODEL_DEEPSPIKE_TRAIN_C
#endif
