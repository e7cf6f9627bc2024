/* The other file of the program of main.c. */
#ifndef HEADER
#define HEADER "vdi.h"
#endif
#include HEADER

#ifdef __cplusplus
extern "C"
#endif
    const char *
    header_other(vdi_status status);

const char *header_other(vdi_status status) { return vdi_status_name(status); }
