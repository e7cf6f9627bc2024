/* model/env.h - an environment is a small struct of callbacks whose reward is a vector with names
 */
#ifndef VDI_MODEL_ENV_H
#define VDI_MODEL_ENV_H
#include "../core/status.h"
#endif /* VDI_MODEL_ENV_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_C)
#define VDI_MODEL_ENV_C
#endif
