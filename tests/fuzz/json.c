#include "fuzz.h"
static int64_t walk(const vdi_json *x) {
    int64_t n = 1;
    for (const vdi_json *y = vdi_json_first(x); y; y = vdi_json_next(x, y)) {
        n += walk(y);
        if (y->key && vdi_json_get(x, y->key) == NULL && strlen(y->key) == y->key_length) abort();
    }
    if (x->type == VDI_JSON_STRING && x->u.text[x->v.length] != 0) abort();
    return n;
}
/* What was read is written, read and written again: the two texts are one. */
static void put(vdi_json_writer *j, const vdi_json *x) {
    switch (x->type) {
    case VDI_JSON_NULL: vdi_json_put_text(j, x->key, NULL); break;
    case VDI_JSON_BOOL: vdi_json_put_bool(j, x->key, vdi_json_as_bool(x, false)); break;
    case VDI_JSON_STRING: vdi_json_put_text(j, x->key, vdi_json_as_text(x, "")); break;
    case VDI_JSON_NUMBER:
        if (x->is_integer)
            vdi_json_put_integer(j, x->key, x->v.integer);
        else
            vdi_json_put_number(j, x->key, x->u.number);
        break;
    default:
        vdi_json_open(j, x->key, x->type == VDI_JSON_ARRAY ? '[' : '{');
        for (const vdi_json *y = vdi_json_first(x); y; y = vdi_json_next(x, y))
            put(j, y);
        vdi_json_close(j);
    }
}
static vdi_status load(vdi_reader *r, const vdi_allocator *a, vdi_error *err) {
    vdi_arena arena;
    const vdi_json *root, *again;
    vdi_buffer text[2];
    vdi_arena_init(&arena, a, 0);
    vdi_status status = vdi_json_read(r, &arena, &root, err);
    if (status == VDI_OK && walk(root) > (int64_t)1 << 30) abort();
    for (int i = 0; i < 2 && status == VDI_OK; i++) {
        vdi_writer w;
        vdi_json_writer j;
        vdi_error e;
        vdi_buffer_init(&text[i], NULL);
        vdi_writer_to_buffer(&w, &text[i]);
        vdi_json_begin(&j, &w, i != 0);
        put(&j, root);
        if (vdi_json_end(&j, &e) < 0) abort();
        /* keys that differ behind a NUL become equal when they are written, and that is no text any
         * more */
        bool cut = vdi_json_parse(&arena, text[i].data, text[i].size, "own", &again, &e) < 0;
        if (cut && !strstr(e.message, "key twice")) abort();
        if (!cut && walk(again) != walk(root)) abort();
        vdi_buffer_free(&text[i]);
    }
    vdi_arena_free(&arena);
    return status;
}
