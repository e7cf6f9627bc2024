/* core/state.h - what a model hands out to be saved: named tensors, and metadata as text
 *
 * Do this:
 *     const vdi_state *state = vdi_sacd_state(agent, true);
 *     vdi_safetensors_save("agent.safetensors", state, &err);
 *     const char *gamma = vdi_meta_find(state->meta, state->meta_count, "gamma");
 *
 * A model knows no file format: it names its tensors and writes its description as text, and io
 * writes any such list. Numbers in metadata are exact: what is read back is the same bits, in every
 * locale.
 * Memory: names, tensors and texts belong to the model that hands them out. Errors: adding to a
 * full list returns an error status.
 */
#ifndef VDI_CORE_STATE_H
#define VDI_CORE_STATE_H
#include "alloc.h"
#include "tensor.h"
#include "text.h"

/** A tensor with a name. The name is not owned. */
typedef struct vdi_named_tensor {
    const char *name;  /**< unique within its list */
    vdi_tensor tensor; /**< a view of the model's own memory */
} vdi_named_tensor;

/** Key and value of metadata, not owned. */
typedef struct vdi_meta {
    const char *key, *value; /* text in UTF-8 */
} vdi_meta;

/** The state of a model as any file format can write it: named tensors and metadata, both owned by
 * the model. */
typedef struct vdi_state {
    vdi_named_tensor *tensors; /**< (tensor_count) */
    int64_t tensor_count;      /**< how many */
    vdi_meta *meta;            /**< (meta_count) */
    int64_t meta_count;        /**< how many */
} vdi_state;

/** Entries and bytes of a vdi_meta_list. */
#define VDI_META_ENTRIES 64
#define VDI_META_BYTES 4096

/** Metadata under construction, with the memory of its texts. Begin with all zero; keys are not
 * copied. */
typedef struct vdi_meta_list {
    vdi_meta meta[VDI_META_ENTRIES]; /**< the first `count` of them */
    int64_t count;                   /**< entries so far */
    char text[VDI_META_BYTES];       /**< the values, each ended by a zero byte */
    size_t used;                     /**< bytes of `text` */
} vdi_meta_list;

/** The value of a key, or NULL. */
VDI_API const char *vdi_meta_find(const vdi_meta *meta, int64_t count, const char *key);
/** Forget all entries. */
VDI_API void vdi_meta_clear(vdi_meta_list *list);
/** Add a text (copied), a whole number, or a real number with as many digits as it needs to be read
 * back exactly.
 *  VDI_ERR_MEMORY if the list is full. */
VDI_API vdi_status vdi_meta_put_text(vdi_meta_list *list, const char *key, const char *value);
VDI_API vdi_status vdi_meta_put_int(vdi_meta_list *list, const char *key, int64_t value);
VDI_API vdi_status vdi_meta_put_real(vdi_meta_list *list, const char *key, double value);

#endif /* VDI_CORE_STATE_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_STATE_C)
#define VDI_CORE_STATE_C

VDI__DEF const char *vdi_meta_find(const vdi_meta *meta, int64_t count, const char *key) {
    for (int64_t i = 0; i < count; i++) {
        if (strcmp(meta[i].key, key) == 0) return meta[i].value;
    }
    return NULL;
}

VDI__DEF void vdi_meta_clear(vdi_meta_list *list) {
    list->count = 0;
    list->used = 0;
}

VDI__DEF vdi_status vdi_meta_put_text(vdi_meta_list *list, const char *key, const char *value) {
    const size_t bytes = strlen(value) + 1;
    if (list->count == VDI_META_ENTRIES || bytes > VDI_META_BYTES - list->used)
        return VDI_ERR_MEMORY;
    char *copy = list->text + list->used;
    memcpy(copy, value, bytes);
    list->used += bytes;
    list->meta[list->count].key = key;
    list->meta[list->count].value = copy;
    list->count++;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_meta_put_int(vdi_meta_list *list, const char *key, int64_t value) {
    char number[VDI_TEXT_NUMBER];
    (void)vdi_text_format(number, sizeof number, "%lld", (long long)value);
    return vdi_meta_put_text(list, key, number);
}

VDI__DEF vdi_status vdi_meta_put_real(vdi_meta_list *list, const char *key, double value) {
    char number[VDI_TEXT_NUMBER];
    (void)vdi_text_double(number, value, 0);
    return vdi_meta_put_text(list, key, number);
}
#endif
