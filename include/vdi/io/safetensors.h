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
 * most 100 MB, as in the original. Memory: one block per tensor, and an arena for names; one free
 * for all. Errors: VDI_ERR_FORMAT, VDI_ERR_IO; after an error nothing is left allocated, and a
 * copy_to has changed nothing.
 */
#ifndef VDI_IO_SAFETENSORS_H
#define VDI_IO_SAFETENSORS_H
#include "json.h"
#include "../core/state.h"
#include "stream.h"

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
                             node->key, dtype, shape->count, VDI_MAX_DIMS);
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

/* From the parsed header to state.tensors (without data yet) and the order of the data. */
VDI__FN vdi_status vdi__safetensors_plan(vdi_safetensors *f, const vdi_json *root,
                                         vdi__array_plan **plan, const void ***order,
                                         vdi_error *err) {
    const vdi_json *meta = vdi_json_get(root, "__metadata__");
    vdi_status status;
    if (root->type != VDI_JSON_OBJECT || (meta && meta->type != VDI_JSON_OBJECT)) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                             "the header, or its \"__metadata__\", is no JSON object");
    }
    size_t n = (size_t)root->count - (meta != NULL);
    *plan = (vdi__array_plan *)vdi_arena_calloc(&f->arena, n * sizeof **plan);
    *order = (const void **)vdi_arena_alloc(&f->arena, n * sizeof **order);
    f->state.tensors =
        (vdi_named_tensor *)vdi_arena_calloc(&f->arena, n * sizeof *f->state.tensors);
    f->state.meta = (vdi_meta *)vdi_arena_calloc(&f->arena, (meta ? (size_t)meta->count : 0) *
                                                                sizeof *f->state.meta);
    if (!*plan || !*order || !f->state.tensors || !f->state.meta) {
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_safetensors_read", f->name,
                             "no memory for %zu names", n);
    }
    for (const vdi_json *x = vdi_json_first(meta); x; x = vdi_json_next(meta, x)) {
        vdi_meta *m = &f->state.meta[f->state.meta_count];
        m->key = x->key;
        m->value = vdi_json_as_text(x, NULL);
        if (!m->value || strlen(m->key) != x->key_length ||
            (int64_t)strlen(m->value) != x->v.length) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                                 "metadata \"%s\" is no plain text", m->key);
        }
        f->state.meta_count++;
    }
    size_t i = 0;
    for (const vdi_json *x = vdi_json_first(root); x; x = vdi_json_next(root, x)) {
        if (x == meta) continue;
        (*order)[i] = &(*plan)[i];
        if ((status = vdi__plan_parse(&(*plan)[i++], x, f->name, err)) < 0) return status;
    }
    vdi__sort(*order, (int64_t)n, vdi__plan_before);
    int64_t at = 0;
    for (i = 0; i < n; i++) {
        const vdi__array_plan *p = (const vdi__array_plan *)(*order)[i];
        if (p->begin != at) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", f->name,
                                 "%s: its data begin at %lld, expected %lld (%s)", p->name,
                                 (long long)p->begin, (long long)at,
                                 p->begin < at ? "arrays overlap" : "a gap");
        }
        at = p->end;
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_safetensors_read(vdi_reader *r, const vdi_allocator *a,
                                         vdi_safetensors *out, vdi_error *err) {
    uint8_t head[8];
    void *text = NULL;
    const vdi_json *root = NULL;
    vdi__array_plan *plan = NULL;
    const void **order = NULL;
    const char *name = r->name ? r->name : "";
    vdi_status status;
    memset(out, 0, sizeof *out);
    vdi_arena_init(&out->arena, a, 4096);
    if ((status = vdi__read_exact(r, head, 8, "the header's length", err)) < 0) return status;
    uint64_t length = vdi__get_le(head, 8);
    int64_t left = vdi__reader_left(r);
    if (length > VDI__SAFETENSORS_HEADER_MAX || length < 2 ||
        (left >= 0 && length > (uint64_t)left)) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", name,
                             "not a safetensors file: a header of %llu bytes, at most %lld can be",
                             (unsigned long long)length,
                             left < 0 ? (long long)VDI__SAFETENSORS_HEADER_MAX : (long long)left);
    }
    if ((status = vdi__read_block(r, a, (size_t)length, "the header", &text, err)) < 0)
        return status;
    char *copy = (char *)vdi_arena_alloc(&out->arena, strlen(name) + 1);
    if (!copy) {
        status = vdi__io_error(err, VDI_ERR_MEMORY, "vdi_safetensors_read", name,
                               "no memory for the header");
    } else {
        out->name = strcpy(copy, name);
    }
    if (status == VDI_OK && *(const char *)text != '{') {
        status = vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", name,
                               "not a safetensors file: its header does not begin with '{'");
    }
    if (status == VDI_OK)
        status = vdi_json_parse(&out->arena, (const char *)text, (size_t)length, name, &root, err);
    vdi_free(a, text, (size_t)length);
    if (status == VDI_OK) status = vdi__safetensors_plan(out, root, &plan, &order, err);
    if (status == VDI_OK) {
        int64_t n = root->count - (vdi_json_get(root, "__metadata__") != NULL);
        int64_t bytes = n ? ((const vdi__array_plan *)order[n - 1])->end : 0;
        left = vdi__reader_left(r);
        if (left >= 0 && left != bytes) {
            status = vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", name,
                                   "the arrays need %lld bytes, the file holds %lld",
                                   (long long)bytes, (long long)left);
        }
        for (int64_t i = 0; i < n && status == VDI_OK; i++) {
            /* in the order of the data, into the order of the header */
            const vdi__array_plan *p = (const vdi__array_plan *)order[i];
            vdi_named_tensor *t = &out->state.tensors[p - plan];
            status =
                vdi__read_array(r, a, p->type, false, false, p->ndim, p->shape, &t->tensor, err);
            t->name = p->name;
            out->state.tensor_count = n;
        }
        if (status == VDI_OK && left < 0 && vdi_read(r, head, 1) > 0) {
            status = vdi__io_error(err, VDI_ERR_FORMAT, "vdi_safetensors_read", name,
                                   "data follow the last array");
        }
    }
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

VDI__FN void vdi__safetensors_header(vdi_writer *w, const vdi_state *s) {
    vdi_json_writer j;
    int64_t at = 0;
    vdi_json_begin(&j, w, false);
    vdi_json_open(&j, NULL, '{');
    if (s->meta_count) {
        vdi_json_open(&j, "__metadata__", '{');
        for (int64_t i = 0; i < s->meta_count; i++)
            vdi_json_put_text(&j, s->meta[i].key, s->meta[i].value ? s->meta[i].value : "");
        vdi_json_close(&j);
    }
    for (size_t size = 8; size; size /= 2) {
        for (int64_t i = 0; i < s->tensor_count; i++) {
            vdi_tensor t = s->tensors[i].tensor;
            if (vdi_dtype_size(t.dtype) != size) continue;
            vdi_json_open(&j, s->tensors[i].name, '{');
            /* the table begins with vdi's own, in their order */
            vdi_json_put_text(&j, "dtype", vdi__stored_types[t.dtype].safetensors);
            vdi_json_open(&j, "shape", '[');
            for (int k = 0; k < t.ndim; k++)
                vdi_json_put_integer(&j, NULL, t.shape[k]);
            vdi_json_close(&j);
            vdi_json_open(&j, "data_offsets", '[');
            vdi_json_put_integer(&j, NULL, at);
            at += (int64_t)vdi_tensor_bytes(t);
            vdi_json_put_integer(&j, NULL, at);
            vdi_json_close(&j);
            vdi_json_close(&j);
        }
    }
    vdi_json_close(&j);
}

VDI__FN vdi_status vdi__safetensors_check(const vdi_state *s, const char *name, vdi_error *err) {
    vdi_status status;
    for (int64_t i = 0; i < s->tensor_count; i++) {
        const char *own = s->tensors[i].name;
        if ((status = vdi__tensor_check(s->tensors[i].tensor, "vdi_safetensors_write", name, err)) <
            0)
            return status;
        bool bad = !own || !*own || strcmp(own, "__metadata__") == 0;
        for (int64_t k = 0; k < i && !bad; k++)
            bad = strcmp(own, s->tensors[k].name) == 0;
        if (bad) {
            return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_safetensors_write", name,
                                 "tensor %lld: its name '%s' is empty, reserved or taken",
                                 (long long)i, own ? own : "");
        }
    }
    for (int64_t i = 0; i < s->meta_count; i++) {
        bool bad = !s->meta[i].key;
        for (int64_t k = 0; k < i && !bad; k++)
            bad = strcmp(s->meta[i].key, s->meta[k].key) == 0;
        if (bad) {
            return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_safetensors_write", name,
                                 "metadata %lld: its key is taken", (long long)i);
        }
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_safetensors_write(vdi_writer *w, const vdi_state *state, vdi_error *err) {
    vdi_writer dry;
    uint8_t head[8];
    vdi_status status = vdi__safetensors_check(state, w->name, err);
    if (status < 0) return status;
    vdi_writer_init(&dry, vdi__null_write, NULL, NULL);
    vdi__safetensors_header(&dry, state);
    /* spaces, so that the data are aligned in a mapped file */
    uint64_t length = ((uint64_t)dry.written + 8 + 63) / 64 * 64 - 8;
    if (length > VDI__SAFETENSORS_HEADER_MAX) {
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_safetensors_write", w->name,
                             "names and metadata need %llu bytes, at most 100 MB can be",
                             (unsigned long long)length);
    }
    vdi__put_le(head, length, 8);
    vdi_write(w, head, 8);
    vdi__safetensors_header(w, state);
    for (uint64_t i = (uint64_t)dry.written; i < length; i++)
        vdi_write(w, " ", 1);
    for (size_t size = 8; size; size /= 2) {
        for (int64_t i = 0; i < state->tensor_count; i++) {
            if (vdi_dtype_size(state->tensors[i].tensor.dtype) == size)
                vdi__write_array(w, state->tensors[i].tensor);
        }
    }
    return vdi_writer_flush(w, err);
}

#ifndef VDI_NO_STDIO
VDI__DEF vdi_status vdi_safetensors_load(const char *path, const vdi_allocator *a,
                                         vdi_safetensors *out, vdi_error *err) {
    vdi_reader r;
    memset(out, 0, sizeof *out);
    vdi_status status = vdi_reader_open(&r, path, err);
    if (status < 0) return status;
    status = vdi_safetensors_read(&r, a, out, err);
    vdi_reader_close(&r);
    return status;
}

VDI__DEF vdi_status vdi_safetensors_save(const char *path, const vdi_state *state, vdi_error *err) {
    vdi_writer w;
    vdi_error first;
    vdi_status status = vdi__safetensors_check(state, path, err); /* before a file is emptied */
    if (status == VDI_OK) status = vdi_writer_open(&w, path, err);
    if (status < 0) return status;
    status = vdi_safetensors_write(&w, state, &first);
    vdi_status closed = vdi_writer_close(&w, err);
    if (status < 0 && err) *err = first;
    return status < 0 ? status : closed;
}
#endif
#endif
