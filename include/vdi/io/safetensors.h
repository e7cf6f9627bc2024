/* io/safetensors.h - named tensors and metadata in one file, as PyTorch, JAX and NumPy users open
 * them
 *
 * Do this:
 *     if (vdi_safetensors_save("model.safetensors", &state, &err) < 0) puts(err.message);
 *
 *     vdi_safetensors file;
 *     if (vdi_safetensors_load("model.safetensors", NULL, &file, &err) == VDI_OK) {
 *         if (vdi_safetensors_copy_to(&file, &state, &err) < 0)
 *             puts(err.message);   into a model: names, shapes, dtypes checked
 *         const char *seed = vdi_safetensors_meta(&file, "seed");                    or NULL
 *         vdi_safetensors_free(&file);
 *     }
 *
 * Format (huggingface/safetensors): 8 bytes little-endian length, a JSON object of
 * {"dtype","shape","data_offsets"} by name with texts in "__metadata__", then the data without
 * gaps. Read: F64 F32 I64 I32 I16 U8 BOOL as they are; F16 and BF16 become float32, I8, U16, U32
 * (and U64 where it fits) the next wider signed type. Written in the order of falling element
 * size (so that each array is aligned), else in the order given: equal states make equal bytes.
 *
 * Trust: the arrays have to cover the data exactly, in any order, without overlap; a header is at
 * most 100 MB, as in the original. The metadata carry a CRC-32 of the data, so that a file with a
 * flipped bit is refused; files of other programs, which have none, are read without it. Names and
 * keys that are not UTF-8 are refused by a save; in values such bytes become U+FFFD.
 * Memory: one block per tensor, and an arena for names; one free for all.
 * Errors: VDI_ERR_FORMAT, VDI_ERR_IO; after an error nothing is left allocated, and a copy_to has
 * changed nothing.
 */
#ifndef VDI_IO_SAFETENSORS_H
#define VDI_IO_SAFETENSORS_H
#include "../core/state.h"
#include "binary.h"
#include "crc32.h"
#include "json.h"
#include "stream.h"

/** The key of the data's CRC-32 in the metadata, eight hexadecimal digits: written by every save,
 *  checked by every load, and not among the metadata that a load hands out. */
#define VDI_SAFETENSORS_CRC32 "vdi_crc32"

/** What a file held. `state` is yours to read and owned by this. */
typedef struct vdi_safetensors {
    vdi_state state; /**< the named tensors and the metadata */
    /* private */
    const char *name; /* of the file, copied */
    vdi_arena arena;
} vdi_safetensors;

/** Read a whole file. */
VDI_API VDI_NODISCARD vdi_status vdi_safetensors_read(vdi_reader *r, const vdi_allocator *a,
                                                      vdi_safetensors *out, vdi_error *err);
/** A tensor by name; the null tensor if there is none. */
VDI_API vdi_tensor vdi_safetensors_find(const vdi_safetensors *file, const char *name);
/** A text of the metadata by key, or NULL. */
VDI_API const char *vdi_safetensors_meta(const vdi_safetensors *file, const char *key);
/** Copy into every tensor of `state` the one of that name. All or nothing: VDI_ERR_FORMAT if a name
 * is missing or a shape or dtype
 *  differs, with both. Tensors of the file that `state` does not name are passed over. */
VDI_API VDI_NODISCARD vdi_status vdi_safetensors_copy_to(const vdi_safetensors *file,
                                                         const vdi_state *state, vdi_error *err);
/** Free all. Harmless after a failed load. */
VDI_API void vdi_safetensors_free(vdi_safetensors *file);
/** Write a state (tensors of any strides). VDI_ERR_ARGUMENT for a name that is empty, doubled or
 * "__metadata__". */
VDI_API VDI_NODISCARD vdi_status vdi_safetensors_write(vdi_writer *w, const vdi_state *state,
                                                       vdi_error *err);

#ifndef VDI_NO_STDIO
/** Read a file. */
VDI_API VDI_NODISCARD vdi_status vdi_safetensors_load(const char *path, const vdi_allocator *a,
                                                      vdi_safetensors *out, vdi_error *err);
/** Create or replace a file. */
VDI_API VDI_NODISCARD vdi_status vdi_safetensors_save(const char *path, const vdi_state *state,
                                                      vdi_error *err);
#endif

#endif /* VDI_IO_SAFETENSORS_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_SAFETENSORS_C)
#define VDI_IO_SAFETENSORS_C

#define VDI__SAFETENSORS_HEADER_MAX ((uint64_t)100000000)

VDI__FN void vdi__hex_text(char out[9], uint32_t x) {
    for (int i = 0; i < 8; i++)
        out[i] = "0123456789abcdef"[x >> (28 - 4 * i) & 15];
    out[8] = 0;
}

/* Exactly eight hexadecimal digits in lower case, as they are written. */
VDI__FN bool vdi__hex_parse(const char *text, uint32_t *x) {
    *x = 0;
    for (int i = 0; i < 8; i++) {
        const char c = text[i];
        if (c >= '0' && c <= '9')
            *x = *x << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *x = *x << 4 | (uint32_t)(c - 'a' + 10);
        else
            return false;
    }
    return text[8] == 0;
}

/* One array of the header while it is read. */
typedef struct vdi__array_plan {
    const char *name;
    const vdi__stored *type;
    int ndim;
    int64_t shape[VDI_MAX_DIMS];
    int64_t begin, end;
} vdi__array_plan;

VDI__FN bool vdi__plan_before(const void *a, const void *b) {
    const vdi__array_plan *x = (const vdi__array_plan *)a, *y = (const vdi__array_plan *)b;
    return x->begin != y->begin ? x->begin < y->begin : x->end < y->end;
}

VDI__FN vdi_status vdi__plan_parse(vdi__array_plan *p, const vdi_json *node, const char *file,
                                   vdi_error *err) {
    const vdi_json *shape = vdi_json_get(node, "shape");
    const vdi_json *offsets = vdi_json_get(node, "data_offsets");
    const char *dtype = vdi_json_as_text(vdi_json_get(node, "dtype"), NULL);
    if (!dtype || !shape || shape->type != VDI_JSON_ARRAY || !offsets ||
        offsets->type != VDI_JSON_ARRAY || offsets->count != 2 || node->count != 3) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", file,
                             "%s: expected \"dtype\", \"shape\" and \"data_offsets\" alone",
                             node->key);
    }
    for (size_t i = 0; i < VDI__COUNT(vdi__stored_types); i++)
        if (strcmp(vdi__stored_types[i].safetensors, dtype) == 0) p->type = &vdi__stored_types[i];
    if (!p->type || shape->count > VDI_MAX_DIMS) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_safetensors_read", file,
                             "%s: dtype %s with %d axes, expected a plain dtype and up to %d",
                             node->key, dtype, (int)shape->count, VDI_MAX_DIMS);
    }
    for (const vdi_json *x = vdi_json_first(shape); x; x = vdi_json_next(shape, x))
        p->shape[p->ndim++] = vdi_json_as_integer(x, -1);
    p->begin = vdi_json_as_integer(vdi_json_at(offsets, 0), -1);
    p->end = vdi_json_as_integer(vdi_json_at(offsets, 1), -1);
    p->name = node->key;
    int64_t n = vdi__shape_count(p->ndim, p->shape);
    if (strlen(node->key) != node->key_length || n < 0 || p->begin < 0 || p->end < p->begin ||
        p->end - p->begin != n * p->type->size) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", file,
                             "%s: its shape needs %lld bytes, its offsets are %lld to %lld",
                             node->key, n < 0 ? -1LL : (long long)(n * p->type->size),
                             (long long)p->begin, (long long)p->end);
    }
    return VDI_OK;
}

/* Texts of the metadata into the state; the checksum is taken out and kept in *crc. */
VDI__FN vdi_status vdi__safetensors_meta(vdi_safetensors *f, const vdi_json *meta, bool *has_crc,
                                         uint32_t *crc, vdi_error *err) {
    *has_crc = false;
    for (const vdi_json *x = vdi_json_first(meta); x; x = vdi_json_next(meta, x)) {
        vdi_meta *m = &f->state.meta[f->state.meta_count];
        m->key = x->key;
        m->value = vdi_json_as_text(x, NULL);
        if (!m->value || strlen(m->key) != x->key_length ||
            (int64_t)strlen(m->value) != x->v.length) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                                 "metadata \"%s\" is no plain text", m->key);
        }
        if (strcmp(m->key, VDI_SAFETENSORS_CRC32) != 0) {
            f->state.meta_count++;
            continue;
        }
        *has_crc = vdi__hex_parse(m->value, crc);
        if (!*has_crc) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                                 "the checksum of the data is '%s', expected 8 hexadecimal digits",
                                 m->value);
        }
    }
    return VDI_OK;
}

/* The arrays of the header, in its order, and then the data, which have to be covered exactly. */
typedef struct vdi__safetensors_plan {
    vdi__array_plan *array; /* (count), as in the header */
    const void **order;     /* (count), as in the data */
    int64_t count, bytes;
    bool has_crc;
    uint32_t crc;
} vdi__safetensors_plan;

/* Names and metadata into the state, without data yet. */
VDI__FN vdi_status vdi__safetensors_header(vdi_safetensors *f, const vdi_json *root,
                                           vdi__safetensors_plan *plan, vdi_error *err) {
    const vdi_json *meta = vdi_json_get(root, "__metadata__");
    vdi_status status;
    if (root->type != VDI_JSON_OBJECT || (meta && meta->type != VDI_JSON_OBJECT)) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                             "the header, or its \"__metadata__\", is no JSON object");
    }
    const size_t n = (size_t)root->count - (meta != NULL), texts = meta ? (size_t)meta->count : 0;
    plan->count = (int64_t)n;
    plan->array =
        (vdi__array_plan *)vdi_arena_calloc(&f->arena, vdi_mul_size(n, sizeof *plan->array));
    plan->order = (const void **)vdi_arena_alloc(&f->arena, vdi_mul_size(n, sizeof *plan->order));
    f->state.tensors =
        (vdi_named_tensor *)vdi_arena_calloc(&f->arena, vdi_mul_size(n, sizeof *f->state.tensors));
    f->state.meta =
        (vdi_meta *)vdi_arena_calloc(&f->arena, vdi_mul_size(texts, sizeof *f->state.meta));
    if (!plan->array || !plan->order || !f->state.tensors || !f->state.meta) {
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_safetensors_read", f->name,
                             "no memory for %zu names", n);
    }
    status = vdi__safetensors_meta(f, meta, &plan->has_crc, &plan->crc, err);
    size_t i = 0;
    for (const vdi_json *x = vdi_json_first(root); x && status >= 0; x = vdi_json_next(root, x)) {
        if (x == meta) continue;
        plan->order[i] = &plan->array[i];
        status = vdi__plan_parse(&plan->array[i++], x, f->name, err);
    }
    return status;
}

/* Sort the arrays by their place in the data: neither gaps nor overlaps, and exactly what is left
 * of the file. */
VDI__FN vdi_status vdi__safetensors_cover(const vdi_safetensors *f, vdi__safetensors_plan *plan,
                                          int64_t left, vdi_error *err) {
    vdi__sort(plan->order, plan->count, vdi__plan_before);
    for (int64_t i = 0; i < plan->count; i++) {
        const vdi__array_plan *p = (const vdi__array_plan *)plan->order[i];
        if (p->begin != plan->bytes) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                                 "%s: its data begin at %lld, expected %lld (%s)", p->name,
                                 (long long)p->begin, (long long)plan->bytes,
                                 p->begin < plan->bytes ? "arrays overlap" : "a gap");
        }
        plan->bytes = p->end;
    }
    if (left >= 0 && left != plan->bytes) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                             "the arrays need %lld bytes, the file holds %lld",
                             (long long)plan->bytes, (long long)left);
    }
    return VDI_OK;
}

/* Read the arrays in the order of the data into the order of the header, and check the sum. */
VDI__FN vdi_status vdi__safetensors_data(vdi_safetensors *f, const vdi__safetensors_plan *plan,
                                         vdi_reader *r, const vdi_allocator *a, vdi_error *err) {
    vdi__crc_tap tap;
    vdi_reader data = vdi__crc_tap_reader(&tap, r);
    const bool open_end = vdi__reader_left(r) < 0;
    char more;
    for (int64_t i = 0; i < plan->count; i++) {
        const vdi__array_plan *p = (const vdi__array_plan *)plan->order[i];
        vdi_named_tensor *t = &f->state.tensors[p - plan->array];
        t->name = p->name;
        f->state.tensor_count = plan->count;
        const vdi_status status =
            vdi__read_array(&data, a, p->type, false, false, p->ndim, p->shape, &t->tensor, err);
        if (status < 0) return status;
    }
    if (open_end && vdi_read(r, &more, 1) > 0) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                             "data follow the last array");
    }
    if (plan->has_crc && plan->crc != tap.crc.value) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                             "the data are damaged: their CRC-32 is %x, expected %x",
                             (unsigned)tap.crc.value, (unsigned)plan->crc);
    }
    return VDI_OK;
}

/* The header as a tree in the arena of the file. */
VDI__FN vdi_status vdi__safetensors_open(vdi_safetensors *f, vdi_reader *r, const vdi_allocator *a,
                                         const vdi_json **root, vdi_error *err) {
    uint8_t head[8];
    void *text = NULL;
    vdi_status status = vdi__read_exact(r, head, 8, "the header's length", err);
    if (status < 0) return status;
    const uint64_t length = vdi__get_le(head, 8);
    const int64_t left = vdi__reader_left(r);
    if (length > VDI__SAFETENSORS_HEADER_MAX || length < 2 ||
        (left >= 0 && length > (uint64_t)left)) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                             "not a safetensors file: a header of %llu bytes, at most %lld can be",
                             (unsigned long long)length,
                             left < 0 ? (long long)VDI__SAFETENSORS_HEADER_MAX : (long long)left);
    }
    status = vdi__read_block(r, a, (size_t)length, "the header", &text, err);
    if (status < 0) return status;
    if (*(const char *)text != '{') {
        status = vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                               "not a safetensors file: its header does not begin with '{'");
    } else {
        status = vdi_json_parse(&f->arena, (const char *)text, (size_t)length, f->name, root, err);
    }
    vdi_free(a, text, (size_t)length);
    return status;
}

VDI__DEF vdi_status vdi_safetensors_read(vdi_reader *r, const vdi_allocator *a,
                                         vdi_safetensors *out, vdi_error *err) {
    vdi__safetensors_plan plan;
    const vdi_json *root = NULL;
    const char *name = r->name ? r->name : "";
    memset(out, 0, sizeof *out);
    memset(&plan, 0, sizeof plan);
    vdi_arena_init(&out->arena, a, 4096);
    char *copy = (char *)vdi_arena_alloc(&out->arena, strlen(name) + 1);
    if (!copy) {
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_safetensors_read", name,
                             "no memory for the header");
    }
    out->name = strcpy(copy, name);
    vdi_status status = vdi__safetensors_open(out, r, a, &root, err);
    if (status >= 0) status = vdi__safetensors_header(out, root, &plan, err);
    if (status >= 0) status = vdi__safetensors_cover(out, &plan, vdi__reader_left(r), err);
    if (status >= 0) status = vdi__safetensors_data(out, &plan, r, a, err);
    if (status < 0) vdi_safetensors_free(out);
    return status;
}

VDI__DEF void vdi_safetensors_free(vdi_safetensors *file) {
    for (int64_t i = 0; i < file->state.tensor_count; i++) {
        if (file->state.tensors[i].tensor.data)
            vdi_tensor_free(&file->arena.allocator, &file->state.tensors[i].tensor);
    }
    vdi_arena_free(&file->arena);
    memset(&file->state, 0, sizeof file->state);
}

VDI__DEF vdi_tensor vdi_safetensors_find(const vdi_safetensors *file, const char *name) {
    for (int64_t i = 0; i < file->state.tensor_count; i++)
        if (strcmp(file->state.tensors[i].name, name) == 0) return file->state.tensors[i].tensor;
    return vdi__tensor_null();
}

VDI__DEF const char *vdi_safetensors_meta(const vdi_safetensors *file, const char *key) {
    for (int64_t i = 0; i < file->state.meta_count; i++)
        if (strcmp(file->state.meta[i].key, key) == 0) return file->state.meta[i].value;
    return NULL;
}

VDI__DEF vdi_status vdi_safetensors_copy_to(const vdi_safetensors *file, const vdi_state *state,
                                            vdi_error *err) {
    char want[VDI_SHAPE_TEXT], have[VDI_SHAPE_TEXT];
    for (int run = 0; run < 2; run++) { /* first look, then copy */
        for (int64_t i = 0; i < state->tensor_count; i++) {
            vdi_tensor to = state->tensors[i].tensor;
            vdi_tensor from = vdi_safetensors_find(file, state->tensors[i].name);
            if (run == 1) {
                vdi_status status = vdi_tensor_copy(to, from, err);
                if (status < 0) return status;
                continue;
            }
            if (!vdi_tensor_ok(from)) {
                return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_copy_to", file->name,
                                     "no tensor '%s', which the model wants as %s %s",
                                     state->tensors[i].name, vdi_tensor_shape_text(to, want),
                                     vdi_dtype_name(to.dtype));
            }
            if (!vdi_tensor_same_shape(to, from) || to.dtype != from.dtype) {
                return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_copy_to", file->name,
                                     "%s: file has %s %s, model wants %s %s",
                                     state->tensors[i].name, vdi_tensor_shape_text(from, have),
                                     vdi_dtype_name(from.dtype), vdi_tensor_shape_text(to, want),
                                     vdi_dtype_name(to.dtype));
            }
        }
    }
    return VDI_OK;
}

/* ---- writing ---- */

/* Elements of 8 bytes first, then 4, 2, 1: so that each array is aligned. The next tensor after
 * number *at of that size, or false. */
VDI__FN bool vdi__safetensors_next(const vdi_state *s, size_t size, int64_t *at) {
    while (++*at < s->tensor_count) {
        if (vdi_dtype_size(s->tensors[*at].tensor.dtype) == size) return true;
    }
    return false;
}

VDI__FN void vdi__safetensors_write_data(vdi_writer *w, const vdi_state *s) {
    for (size_t size = 8; size; size /= 2) {
        for (int64_t i = -1; vdi__safetensors_next(s, size, &i);)
            vdi__write_array(w, s->tensors[i].tensor);
    }
}

VDI__FN void vdi__safetensors_write_entry(vdi_json_writer *j, const vdi_named_tensor *named,
                                          int64_t *at) {
    const vdi_tensor t = named->tensor;
    vdi_json_open(j, named->name, '{');
    /* the table begins with vdi's own types, in their order */
    vdi_json_put_text(j, "dtype", vdi__stored_types[t.dtype].safetensors);
    vdi_json_open(j, "shape", '[');
    for (int k = 0; k < t.ndim; k++)
        vdi_json_put_integer(j, NULL, t.shape[k]);
    vdi_json_close(j);
    vdi_json_open(j, "data_offsets", '[');
    vdi_json_put_integer(j, NULL, *at);
    *at += (int64_t)vdi_tensor_bytes(t);
    vdi_json_put_integer(j, NULL, *at);
    vdi_json_close(j);
    vdi_json_close(j);
}

VDI__FN void vdi__safetensors_write_header(vdi_writer *w, const vdi_state *s, uint32_t crc) {
    vdi_json_writer j;
    char sum[9];
    int64_t at = 0;
    vdi__hex_text(sum, crc);
    vdi_json_begin(&j, w, false);
    vdi_json_open(&j, NULL, '{');
    vdi_json_open(&j, "__metadata__", '{');
    for (int64_t i = 0; i < s->meta_count; i++)
        vdi_json_put_text(&j, s->meta[i].key, s->meta[i].value ? s->meta[i].value : "");
    vdi_json_put_text(&j, VDI_SAFETENSORS_CRC32, sum);
    vdi_json_close(&j);
    for (size_t size = 8; size; size /= 2) {
        for (int64_t i = -1; vdi__safetensors_next(s, size, &i);)
            vdi__safetensors_write_entry(&j, &s->tensors[i], &at);
    }
    vdi_json_close(&j);
}

/* A name of a tensor, or a key: not empty, valid UTF-8 (else it would not be read back as it was),
 * and none of those that the format needs. */
VDI__FN bool vdi__safetensors_name_ok(const char *name) {
    return name && *name && vdi__utf8_valid(name) && strcmp(name, "__metadata__") != 0 &&
           strcmp(name, VDI_SAFETENSORS_CRC32) != 0;
}

VDI__FN vdi_status vdi__safetensors_check(const vdi_state *s, const char *name, vdi_error *err) {
    static const char where[] = "vdi_safetensors_write";
    for (int64_t i = 0; i < s->tensor_count; i++) {
        const char *own = s->tensors[i].name;
        const vdi_status status = vdi__tensor_check(s->tensors[i].tensor, where, name, err);
        if (status < 0) return status;
        bool good = vdi__safetensors_name_ok(own);
        for (int64_t k = 0; k < i && good; k++)
            good = strcmp(own, s->tensors[k].name) != 0;
        if (good) continue;
        return vdi__io_error(err, VDI_ERR_ARGUMENT, where, name,
                             "tensor %lld: its name '%s' is empty, reserved, taken or no UTF-8",
                             (long long)i, own ? own : "");
    }
    for (int64_t i = 0; i < s->meta_count; i++) {
        const char *own = s->meta[i].key;
        bool good = vdi__safetensors_name_ok(own);
        for (int64_t k = 0; k < i && good; k++)
            good = strcmp(own, s->meta[k].key) != 0;
        if (good) continue;
        return vdi__io_error(err, VDI_ERR_ARGUMENT, where, name,
                             "metadata %lld: its key '%s' is empty, reserved, taken or no UTF-8",
                             (long long)i, own ? own : "");
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_safetensors_write(vdi_writer *w, const vdi_state *state, vdi_error *err) {
    vdi_writer dry;
    vdi__crc crc;
    uint8_t head[8];
    vdi_status status = vdi__safetensors_check(state, w->name, err);
    if (status < 0) return status;
    vdi__crc_begin(&crc); /* twice over the data: the checksum stands before them */
    vdi_writer_init(&dry, vdi__crc_write, &crc, NULL);
    vdi__safetensors_write_data(&dry, state);
    (void)vdi_writer_flush(&dry, NULL);
    vdi_writer_init(&dry, vdi__null_write, NULL, NULL);
    vdi__safetensors_write_header(&dry, state, crc.value);
    /* spaces, so that the data are aligned in a mapped file */
    const uint64_t length = ((uint64_t)dry.written + 8 + 63) / 64 * 64 - 8;
    if (length > VDI__SAFETENSORS_HEADER_MAX) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_safetensors_write", w->name,
                             "names and metadata need %llu bytes, at most 100 MB can be",
                             (unsigned long long)length);
    }
    vdi__put_le(head, length, 8);
    vdi_write(w, head, 8);
    vdi__safetensors_write_header(w, state, crc.value);
    for (uint64_t i = (uint64_t)dry.written; i < length; i++)
        vdi_write(w, " ", 1);
    vdi__safetensors_write_data(w, state);
    return vdi_writer_flush(w, err);
}

/* A row of io/array.h. */
VDI__FN bool vdi__safetensors_begins(const uint8_t *head, size_t size) {
    return size >= 9 && vdi__get_le(head, 8) <= VDI__SAFETENSORS_HEADER_MAX && head[8] == '{';
}

VDI__FN vdi_status vdi__safetensors_array(vdi_reader *r, const char *name, const vdi_allocator *a,
                                          vdi_tensor *out, vdi_error *err) {
    vdi_safetensors file;
    vdi_status status = vdi_safetensors_read(r, a, &file, err);
    if (status < 0) return status;
    const int64_t n = file.state.tensor_count;
    const char **names =
        (const char **)vdi_arena_alloc(&file.arena, vdi_mul_size((size_t)n, sizeof *names));
    int64_t found;
    if (!names) {
        status = vdi__io_error(err, VDI_ERR_MEMORY, "vdi_array_read", r->name,
                               "no memory for the names");
    } else {
        for (int64_t i = 0; i < n; i++)
            names[i] = file.state.tensors[i].name;
        status = vdi__name_find(names, n, name, "vdi_array_read", r->name, &found, err);
    }
    if (status >= 0) {
        *out = file.state.tensors[found].tensor; /* it is the caller's now */
        file.state.tensors[found].tensor = vdi__tensor_null();
    }
    vdi_safetensors_free(&file);
    return status;
}

#ifndef VDI_NO_STDIO
VDI__FN vdi_status vdi__safetensors_load_fn(vdi_reader *r, const vdi_allocator *a, void *out,
                                            vdi_error *err) {
    return vdi_safetensors_read(r, a, (vdi_safetensors *)out, err);
}

VDI__DEF vdi_status vdi_safetensors_load(const char *path, const vdi_allocator *a,
                                         vdi_safetensors *out, vdi_error *err) {
    memset(out, 0, sizeof *out);
    return vdi__load_file(path, vdi__safetensors_load_fn, a, out, err);
}

VDI__FN vdi_status vdi__safetensors_save_fn(vdi_writer *w, const void *what, int64_t count,
                                            vdi_error *err) {
    (void)count;
    return vdi_safetensors_write(w, (const vdi_state *)what, err);
}

VDI__DEF vdi_status vdi_safetensors_save(const char *path, const vdi_state *state, vdi_error *err) {
    const vdi_status status =
        vdi__safetensors_check(state, path, err); /* before a file is emptied */
    return status < 0 ? status : vdi__save_file(path, vdi__safetensors_save_fn, state, 1, err);
}
#endif
#endif
