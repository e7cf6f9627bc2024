/* tests/fuzz/numbers.c - tensors and descriptions with any numbers in them
 *
 * A tensor of any shape that is in range goes through views with any index, axis and extent: what
 * comes back lies inside of what there is, or is the null tensor. Every field of a description gets
 * any bits: its check accepts it or names what is wrong, and its text reads back.
 */
#define VDI_IMPLEMENTATION
#define VDI_NO_THREADS
#define VDI_STATIC
#include "vdi.h"

#include <stdlib.h>

#include "bytes.h"

static int64_t whole(bytes *b) {
    const unsigned kind = take(b);
    uint64_t x = 0;
    if (kind < 200) return (int64_t)(kind % 12) - 3;
    for (int i = 0; i < 8; i++)
        x = x << 8 | take(b);
    return kind < 210 ? INT64_MAX : kind < 220 ? INT64_MIN : (int64_t)x;
}

enum { COUNT = 4 * 5 * 6 };
static double memory[COUNT];

/* Every element is one of the memory's. */
static void inside(vdi_tensor t) {
    if (!vdi_tensor_ok(t)) return;
    const int64_t n = vdi_tensor_count(t);
    if (n < 0) abort();
    if (n == 0 || n > 4096) return; /* broadcast views may be longer than what there is */
    int64_t index[VDI_MAX_DIMS] = {0};
    for (int64_t k = 0; k < n; k++) {
        const char *at = (const char *)t.data;
        for (int i = 0; i < t.ndim; i++)
            at += index[i] * t.stride[i] * (int64_t)sizeof(double);
        if (at < (const char *)memory || at > (const char *)(memory + COUNT - 1)) abort();
        for (int i = t.ndim - 1; i >= 0 && ++index[i] == t.shape[i]; i--)
            index[i] = 0;
    }
}

static void views(bytes *b) {
    vdi_tensor t = vdi_tensor_3d(memory, VDI_F64, 4, 5, 6), u;
    for (int step = 0; step < 6; step++) {
        int64_t shape[VDI_MAX_DIMS];
        const int ndim = (int)(take(b) % (VDI_MAX_DIMS + 2)) - 1;
        for (int i = 0; i < VDI_MAX_DIMS; i++)
            shape[i] = whole(b);
        int order[VDI_MAX_DIMS];
        for (int i = 0; i < VDI_MAX_DIMS; i++)
            order[i] = (int)shape[i];
        switch (take(b) % 7) {
        case 0: u = vdi_tensor_index(t, (int)whole(b), whole(b)); break;
        case 1: u = vdi_tensor_slice(t, (int)whole(b), whole(b), whole(b), whole(b)); break;
        case 2: u = vdi_tensor_permute(t, order); break;
        case 3: u = vdi_tensor_transpose(t); break;
        case 4: u = vdi_tensor_reshape(t, ndim, shape); break;
        case 5: u = vdi_tensor_broadcast_to(t, ndim, shape); break;
        default: /* of memory that is not there: no more than its size is asked for */
            u = vdi_tensor_view(NULL, VDI_F64, ndim, shape);
            if (vdi_tensor_ok(u) && vdi_tensor_count(u) < 0) abort();
            continue;
        }
        inside(u);
        if (vdi_tensor_ok(u)) t = u;
    }
}

static const vdi_fields *(*const tables[])(void) = {
    vdi_tape_desc_fields,      vdi_optim_desc_fields,      vdi_param_desc_fields,
    vdi_mlp_desc_fields,       vdi_conv_desc_fields,       vdi_gru_desc_fields,
    vdi_figure_desc_fields,    vdi_calcium_desc_fields,    vdi_population_desc_fields,
    vdi_oasis_desc_fields,     vdi_pretrained_desc_fields, vdi_deepspike_desc_fields,
    vdi_lds_desc_fields,       vdi_plds_desc_fields,       vdi_vilds_desc_fields,
    vdi_critic_desc_fields,    vdi_sacd_desc_fields,       vdi_replay_desc_fields,
    vdi_plds_data_desc_fields, vdi_schedule_fields};

static size_t size_of(const vdi_field *f) {
    return f->type == VDI_FIELD_TYPE_BOOL                                      ? sizeof(bool)
           : f->type == VDI_FIELD_TYPE_INT32 || f->type == VDI_FIELD_TYPE_ENUM ? sizeof(int32_t)
                                                                               : 8;
}

static void descriptions(bytes *b) {
    static union {
        double align;
        char data[65536];
    } desc;
    const vdi_fields *table = tables[take(b) % VDI__COUNT(tables)]();
    vdi_error err;
    memset(&desc, 0, sizeof desc);
    for (int i = 0; i < table->count && b->left; i++) {
        const vdi_field *f = &table->rows[i];
        if (f->type == VDI_FIELD_TYPE_SIZES) continue; /* how many is another field */
        char *at = desc.data + f->offset;
        for (size_t k = 0; k < size_of(f); k++)
            at[k] = (char)(f->type == VDI_FIELD_TYPE_BOOL ? take(b) & 1 : take(b));
    }
    const vdi_status status = vdi_fields_check(table, &desc, &err);
    if (status < 0 && (err.status != status || !err.message[0] || strchr(err.message, '\n')))
        abort();
    if (status < 0) return;
    for (int i = 0; i < table->count; i++) {
        const vdi_field *f = &table->rows[i];
        char text[4096], again[4096];
        if (vdi_field_text(f, &desc, text, sizeof text) >= sizeof text - 1) abort();
        if (f->type == VDI_FIELD_TYPE_SIZES) continue;
        if (vdi_fields_set(table, &desc, f->name, text, &err) < 0) continue; /* 0, "the default" */
        vdi_field_text(f, &desc, again, sizeof again);
        if (strcmp(text, again) != 0) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, size};
    if (take(&b) & 1)
        views(&b);
    else
        descriptions(&b);
    return 0;
}
