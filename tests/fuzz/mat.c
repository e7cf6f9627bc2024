#include "fuzz.h"
/* Unpacked data may be 1032 times the input, but only as they come: blocks at most double. */
static vdi_status load(vdi_reader *r, const vdi_allocator *a, vdi_error *err) {
    vdi_mat mat;
    fuzz_limit = 100000 + 2 * 1032 * 4096 * 2;
    vdi_status status = vdi_mat_open(&mat, *r, a, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < mat.count && status == VDI_OK; i++) {
        vdi_tensor t;
        status = vdi_mat_get(&mat, mat.name[i], a, &t, err);
        if (status == VDI_OK) vdi_tensor_free(a, &t);
        if (status == VDI_ERR_UNSUPPORTED) status = VDI_OK;
    }
    vdi_mat_close(&mat);
    return status;
}
