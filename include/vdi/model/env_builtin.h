/* model/env_builtin.h - pendulum, lander, navigate
 */
#ifndef VDI_MODEL_ENV_BUILTIN_H
#define VDI_MODEL_ENV_BUILTIN_H
#include "../core/status.h"
#endif /* VDI_MODEL_ENV_BUILTIN_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_BUILTIN_C)
#define VDI_MODEL_ENV_BUILTIN_C
#endif
