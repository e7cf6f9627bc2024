#include "fuzz.h"
static vdi_status load(vdi_reader *r, const vdi_allocator *a, vdi_error *err) {
    vdi_tensor t;
    vdi_status status = vdi_npy_read(r, a, &t, err);
    if (status < 0) return status;
    (void)vdi_tensor_count_nonfinite(t);
    vdi_tensor_free(a, &t);
    return status;
}
