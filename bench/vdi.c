/* bench/vdi.c - the one file of the bench programs that holds vdi's code, compiled as users compile
 * it: plain -O2 */
#define VDI_IMPLEMENTATION
#include "vdi.h"
