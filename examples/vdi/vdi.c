/* examples/vdi/vdi.c - the library itself, compiled once */
#define VDI_IMPLEMENTATION
#include "vdi.h"
