/* The one file of the test programs that holds vdi's code. */
#define VDI_IMPLEMENTATION
#include "vdi.h"
