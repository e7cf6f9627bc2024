/* model/sacd_critic.h - a critic whose value is split by reward component
 */
#ifndef VDI_MODEL_SACD_CRITIC_H
#define VDI_MODEL_SACD_CRITIC_H
#include "../core/status.h"
#endif /* VDI_MODEL_SACD_CRITIC_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_CRITIC_C)
#define VDI_MODEL_SACD_CRITIC_C
#endif
