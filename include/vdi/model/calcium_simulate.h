/* model/calcium_simulate.h - populations of simulated cells over wide ranges of indicator, noise and firing
 */
#ifndef VDI_MODEL_CALCIUM_SIMULATE_H
#define VDI_MODEL_CALCIUM_SIMULATE_H
#include "../core/status.h"
#endif /* VDI_MODEL_CALCIUM_SIMULATE_H */

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && !defined(VDI_MODEL_CALCIUM_SIMULATE_C)
#define VDI_MODEL_CALCIUM_SIMULATE_C
#endif
