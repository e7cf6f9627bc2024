/* examples/vdi/tables.h - fields of descriptions that the library has no table for */
#ifndef TOOL_TABLES_H
#define TOOL_TABLES_H
#include "tool.h"

const vdi_fields *vilds_fields(void);

#endif
