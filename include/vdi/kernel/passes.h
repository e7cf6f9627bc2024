/* kernel/passes.h - the kernel bodies for both real types; no guard: included once per instruction
 * set (each.h) */
#define VDI__REAL 32
#include "pass.h"
#undef VDI__REAL
#define VDI__REAL 64
#include "pass.h"
#undef VDI__REAL
