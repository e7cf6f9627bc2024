/* vdi.c - the library, for those who link it instead of compiling the header */
#define VDI_PRETRAINED_WEIGHTS
#define VDI_IMPLEMENTATION
#include "vdi.h"
