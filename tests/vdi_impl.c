/* The one file of the test programs that holds vdi's code. */
#define VDI_IMPLEMENTATION
#define VDI_ALL_PATHS /* the scalar path, which the others are held against */
#include "vdi.h"
