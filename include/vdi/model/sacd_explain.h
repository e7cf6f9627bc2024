/* model/sacd_explain.h - which component drives a decision, and what if it weighed differently
 */
#ifndef VDI_MODEL_SACD_EXPLAIN_H
#define VDI_MODEL_SACD_EXPLAIN_H
#include "../core/status.h"
#endif /* VDI_MODEL_SACD_EXPLAIN_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && !defined(VDI_MODEL_SACD_EXPLAIN_C)
#define VDI_MODEL_SACD_EXPLAIN_C
#endif
