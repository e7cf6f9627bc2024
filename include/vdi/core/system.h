/* core/system.h - the headers of ISO C that every part of vdi needs
 *
 * They are read with the user's macros out of the way: one called round or move would break them.
 */
#ifndef VDI_CORE_SYSTEM_H
#define VDI_CORE_SYSTEM_H
#include "names_begin.h" /* repeated */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "names_end.h" /* repeated */
#endif                 /* VDI_CORE_SYSTEM_H */
