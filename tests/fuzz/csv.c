#include "fuzz.h"
static vdi_status load(vdi_reader *r, const vdi_allocator *a, vdi_error *err) {
    vdi_csv t;
    vdi_status status = vdi_csv_read(r, a, &t, err);
    if (status == VDI_OK && t.name) {
        for (int64_t i = 0; i < t.values.shape[1]; i++)
            if (!vdi_tensor_ok(vdi_csv_column(&t, t.name[i]))) abort();
    }
    vdi_csv_free(&t);
    return status;
}
