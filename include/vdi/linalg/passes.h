/* linalg/passes.h - the bodies of linalg for both real types; no guard: included once per
 * instruction set (kernel/each.h) */
#define VDI__REAL 32
#include "pass.h"
#undef VDI__REAL
#define VDI__REAL 64
#include "pass.h"
#undef VDI__REAL
