/* model/calcium.h - from spikes to fluorescence: generative models of calcium imaging, on the tape and simulable
 */
#ifndef VDI_MODEL_CALCIUM_H
#define VDI_MODEL_CALCIUM_H
#include "../core/status.h"
#endif /* VDI_MODEL_CALCIUM_H */

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && !defined(VDI_MODEL_CALCIUM_C)
#define VDI_MODEL_CALCIUM_C
#endif
