/* tests/fuzz/model.c - models from any safetensors: a description out of the metadata, the model,
 * its tensors
 *
 * What the tool does with a file that it is given, for each family. A model is made, or refused
 * with a message; numbers in it may be anything. Memory is short, so that sizes which a file only
 * claims are refused rather than waited for.
 */
#define VDI_IMPLEMENTATION
#define VDI_NO_THREADS
#define VDI_STATIC
#include "vdi.h"

#include <stdlib.h>

static size_t live, held;
static void *short_alloc(size_t size, size_t align, void *user) {
    (void)user;
    if (size > (8u << 20) - held) return NULL;
    void *p = vdi_allocator_defaults(NULL).alloc_fn(size, align, NULL);
    if (p) {
        live++;
        held += size;
    }
    return p;
}
static void short_free(void *p, size_t size, size_t align, void *user) {
    (void)user;
    if (p) {
        live--;
        held -= size;
    }
    vdi_allocator_defaults(NULL).free_fn(p, size, align, NULL);
}
static const vdi_allocator memory = {short_alloc, short_free, NULL};

static void told(vdi_status status, const vdi_error *err) {
    if (status < 0 && (err->status != status || !err->message[0] || strchr(err->message, '\n')))
        abort();
}

static void lds(const vdi_safetensors *file) {
    vdi_lds_desc desc = VDI__ZERO;
    vdi_lds *m = NULL;
    vdi_error err = VDI__ZERO;
    vdi_status status =
        vdi_lds_desc_from_meta(&desc, file->state.meta, file->state.meta_count, &err);
    told(status, &err);
    desc.allocator = memory;
    if (status >= 0) told(status = vdi_lds_create(&desc, &m, &err), &err);
    if (status < 0) return;
    const vdi_state state = vdi_lds_state(m);
    status = vdi_safetensors_copy_to(file, &state, &err);
    told(status, &err);
    if (status >= 0 && desc.inputs == 0 && desc.n < 100) {
        double *y = (double *)calloc((size_t)(3 * desc.n), sizeof *y);
        vdi_lds_data_desc dd = VDI__ZERO;
        vdi_lds_data *data = NULL;
        double ll;
        dd.y = vdi_tensor_2d(y, VDI_F64, 3, desc.n);
        dd.allocator = memory;
        status = vdi_lds_data_create(m, &dd, &data, &err);
        told(status, &err);
        if (status >= 0) told(vdi_lds_log_likelihood(m, data, NULL, &ll, &err), &err);
        vdi_lds_data_destroy(data);
        free(y);
    }
    vdi_lds_destroy(m);
}

static void plds(const vdi_safetensors *file) {
    vdi_plds_desc desc = VDI__ZERO;
    vdi_plds *m = NULL;
    vdi_error err = VDI__ZERO;
    vdi_status status =
        vdi_plds_desc_from_meta(&desc, file->state.meta, file->state.meta_count, &err);
    told(status, &err);
    desc.allocator = memory;
    if (status >= 0) told(status = vdi_plds_create(&desc, &m, &err), &err);
    if (status < 0) return;
    const vdi_state state = vdi_plds_state(m);
    told(vdi_safetensors_copy_to(file, &state, &err), &err);
    vdi_plds_destroy(m);
}

static void vilds(const vdi_safetensors *file) {
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds *m = NULL;
    vdi_error err = VDI__ZERO;
    vdi_status status =
        vdi_vilds_desc_from_meta(&desc, file->state.meta, file->state.meta_count, &err);
    told(status, &err);
    desc.allocator = memory;
    if (status >= 0) told(status = vdi_vilds_create(&desc, &m, &err), &err);
    if (status < 0) return;
    told(vdi_safetensors_copy_to(file, vdi_vilds_state(m, false), &err), &err);
    vdi_vilds_destroy(m);
}

static void deepspike(const vdi_safetensors *file) {
    vdi_deepspike_desc desc = VDI__ZERO;
    vdi_deepspike *m = NULL;
    vdi_error err = VDI__ZERO;
    vdi_status status =
        vdi_deepspike_desc_from_meta(file->state.meta, file->state.meta_count, &desc, &err);
    told(status, &err);
    desc.allocator = memory;
    if (status >= 0) told(status = vdi_deepspike_create(&desc, &m, &err), &err);
    if (status < 0) return;
    told(vdi_safetensors_copy_to(file, vdi_deepspike_state(m, NULL, false), &err), &err);
    vdi_deepspike_destroy(m);
}

static void sacd(const vdi_safetensors *file) {
    vdi_sacd_desc desc = VDI__ZERO;
    vdi_sacd *m = NULL;
    vdi_error err = VDI__ZERO;
    vdi_status status =
        vdi_sacd_desc_from_meta(file->state.meta, file->state.meta_count, &desc, &err);
    told(status, &err);
    desc.allocator = &memory;
    if (status >= 0) told(status = vdi_sacd_create(&desc, &m, &err), &err);
    if (status < 0) return;
    status = vdi_safetensors_copy_to(file, vdi_sacd_state(m, false), &err);
    told(status, &err);
    if (status >= 0 && desc.observations < 64 && desc.actions < 64) {
        float obs[64] = {0}, action[64];
        (void)vdi_sacd_act(m, obs, true, action);
    }
    vdi_sacd_destroy(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const families[])(const vdi_safetensors *) = {lds, plds, vilds, deepspike, sacd};
    vdi_reader r = vdi_reader_memory(data, size, "fuzz");
    vdi_safetensors file;
    vdi_error err;
    vdi_status status = vdi_safetensors_read(&r, &memory, &file, &err);
    told(status, &err);
    for (size_t i = 0; status >= 0 && i < VDI__COUNT(families); i++)
        families[i](&file);
    vdi_safetensors_free(&file);
    if (live || held) abort();
    return 0;
}
