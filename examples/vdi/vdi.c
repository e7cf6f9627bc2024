/* examples/vdi/vdi.c - the library itself, compiled once */
#define VDI_IMPLEMENTATION
#define VDI_ALL_PATHS /* --simd scalar */
#include "vdi.h"
