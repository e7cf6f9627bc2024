/* model/oasis.h - non-negative and sparse deconvolution of calcium traces by active sets (Friedrich, Zhou, Paninski 2017)
 */
#ifndef VDI_MODEL_OASIS_H
#define VDI_MODEL_OASIS_H
#include "../core/status.h"
#endif /* VDI_MODEL_OASIS_H */

#if defined(VDI__BODIES) && defined(VDI_OASIS_IMPLEMENTATION) && !defined(VDI_MODEL_OASIS_C)
#define VDI_MODEL_OASIS_C
#endif
