/* symbols.c - what is inline in the header, as symbols for other languages */
#define VDI_INLINE_SYMBOLS
#include "vdi.h"
