#include "fuzz.h"
/* Unpacked data may be 1032 times the input, but only as they come: blocks at most double. */
static vdi_status load(vdi_reader *r, const vdi_allocator *a, vdi_error *err) {
    vdi_npz npz;
    fuzz_limit = 100000 + 2 * 1032 * 4096 * 2;
    vdi_status status = vdi_npz_open(&npz, *r, a, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < npz.count && status == VDI_OK; i++) {
        vdi_tensor t;
        status = vdi_npz_get(&npz, npz.name[i], a, &t, err);
        if (status == VDI_OK) vdi_tensor_free(a, &t);
    }
    vdi_npz_close(&npz);
    return status;
}
