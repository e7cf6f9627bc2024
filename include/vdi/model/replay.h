/* model/replay.h - a ring of transitions, sampled evenly
 */
#ifndef VDI_MODEL_REPLAY_H
#define VDI_MODEL_REPLAY_H
#include "../core/status.h"
#endif /* VDI_MODEL_REPLAY_H */

#if defined(VDI__BODIES) && defined(VDI_REPLAY_IMPLEMENTATION) && !defined(VDI_MODEL_REPLAY_C)
#define VDI_MODEL_REPLAY_C
#endif
