/* tests/lds_array.h - the references of data/lds: arrays of sets of systems, and what another
 * program makes of them */
#ifndef VDI_TESTS_LDS_ARRAY_H
#define VDI_TESTS_LDS_ARRAY_H
#include "check.h"

/** Array `name` of a set, in float64; the caller frees it. */
static inline vdi_tensor lds_array(const char *set, const char *name) {
    char path[256];
    vdi_tensor stored, t;
    vdi_error err = VDI__ZERO;
    snprintf(path, sizeof path, "data/lds/%s_%s.npy", set, name);
    CHECK_OK(vdi_npy_load(shared_path(path), NULL, &stored, &err), err);
    CHECK_OK(vdi_tensor_alloc(NULL, VDI_F64, stored.ndim, stored.shape, &t, &err), err);
    CHECK_OK(vdi_tensor_copy(t, stored, &err), err);
    vdi_tensor_free(NULL, &stored);
    return t;
}
#endif
