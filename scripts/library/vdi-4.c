/* vdi-4.c - a quarter of vdi.c, for builds that compile the library side by side */
#define VDI_IMPLEMENTATION_PART 4
#include "vdi.c"
