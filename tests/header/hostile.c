/* A user whose macros have the names that vdi uses inside: before the header, and after it. */
#ifdef _WIN32
#include <windows.h>
#endif
#include "macros.h"
#include "vdi.h"
#define MACROS_CHECK
#include "macros.h"
/* the implementation, asked for later, with the macros still there */
#define VDI_IMPLEMENTATION
#include "vdi.h"
#include "macros.h"
int header_hostile(void);
int header_hostile(void) { return (int)vdi_status_name(VDI_OK)[0]; }
