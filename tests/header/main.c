/* One of the two files of a program, C or C++: linked with other.c, and with vdi_impl.c or a static
 * copy in each. */
#ifndef HEADER
#define HEADER "vdi.h"
#endif
#include HEADER
#include <stdio.h>

#ifdef __cplusplus
extern "C"
#endif
    const char *
    header_other(vdi_status status);

int main(void) {
    float x[3] = {1, 2, 3}, y[3];
    vdi_unary(VDI_F32, VDI_SQUARE, 0, 3, x, y);
    puts(vdi_status_name(VDI_END));
    puts(header_other(VDI_END));
    return strcmp(vdi_status_name(VDI_END), header_other(VDI_END)) != 0 ||
           !(y[2] >= 9 && y[2] <= 9);
}
