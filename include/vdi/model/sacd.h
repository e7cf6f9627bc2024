/* model/sacd.h - soft actor-critic with a decomposed critic
 */
#ifndef VDI_MODEL_SACD_H
#define VDI_MODEL_SACD_H
#include "../core/status.h"
#endif /* VDI_MODEL_SACD_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_C)
#define VDI_MODEL_SACD_C
#endif
