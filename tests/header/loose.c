/* Exit status 0: the arithmetic is as it is written. 3: all that computes is refused, with a
 * message on standard error. */
#define VDI_NO_SIMD
#define VDI_GRAD_IMPLEMENTATION
#define VDI_LDS_IMPLEMENTATION
#define VDI_OASIS_IMPLEMENTATION
#include "vdi.h"

#include <stdio.h>

int main(void) {
    vdi_error err;
    vdi_tape *tape = NULL;
    vdi_lds_desc desc = {0};
    vdi_lds *lds = NULL;
    vdi_oasis_desc oasis = {0};
    double y[8] = {0}, calcium[8], spikes[8];
    static char work[1 << 16];
    vdi_oasis_result result;
    int refused = 0;
    desc.d = desc.n = 2;
    refused += vdi_tape_create(NULL, &tape, &err) == VDI_ERR_UNSUPPORTED;
    refused += vdi_lds_create(&desc, &lds, &err) == VDI_ERR_UNSUPPORTED;
    refused += vdi_oasis(&oasis, VDI_F64, 8, y, work, calcium, spikes, &result, &err) ==
               VDI_ERR_UNSUPPORTED;
    vdi_tape_destroy(tape);
    vdi_lds_destroy(lds);
    if (vdi_arithmetic_check(&err) == VDI_OK) return refused;
    fprintf(stderr, "%s\n", err.message);
    return refused;
}
