/* model/env_wire.h - an environment at the other end of a pipe: the protocol
 */
#ifndef VDI_MODEL_ENV_WIRE_H
#define VDI_MODEL_ENV_WIRE_H
#include "../core/status.h"
#endif /* VDI_MODEL_ENV_WIRE_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_WIRE_C)
#define VDI_MODEL_ENV_WIRE_C
#endif
