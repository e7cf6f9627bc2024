/* What a file of a user looks like; scripts/check.sh compiles it with every switch and
 * implementation macro (-D...). */
#include "vdi.h"
#include "vdi.h"
int header_include(void);
int header_include(void) { return VDI_VERSION_MAJOR; }
