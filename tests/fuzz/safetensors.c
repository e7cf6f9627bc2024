#include "fuzz.h"
static vdi_status load(vdi_reader *r, const vdi_allocator *a, vdi_error *err) {
    vdi_safetensors f;
    vdi_status status = vdi_safetensors_read(r, a, &f, err);
    for (int64_t i = 0; i < f.state.tensor_count; i++)
        if (!vdi_tensor_ok(vdi_safetensors_find(&f, f.state.tensors[i].name))) abort();
    vdi_safetensors_free(&f);
    return status;
}
