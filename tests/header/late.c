/* The implementation may be asked for after another header has already brought the declarations. */
#include "vdi.h"
#define VDI_IMPLEMENTATION
#include "vdi.h"
int header_late(void);
int header_late(void) { return (int)vdi_status_name(VDI_OK)[0]; }
