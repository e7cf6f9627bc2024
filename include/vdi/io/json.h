/* io/json.h - strict JSON (RFC 8259): a parser into a flat tree, and a writer
 *
 * Do this:
 *     vdi_arena arena;
 *     vdi_arena_init(&arena, NULL, 0);
 *     const vdi_json *root;
 *     if (vdi_json_parse(&arena, text, strlen(text), "config", &root, &err) < 0)
 *         puts(err.message);   line and column
 *     double rate = vdi_json_as_number(vdi_json_get(root, "learning_rate"), 1e-3);   1e-3 if absent
 *     for (const vdi_json *x = vdi_json_first(root); x; x = vdi_json_next(root, x)) puts(x->key);
 *     vdi_arena_free(&arena);
 *
 *     vdi_json_writer j;                                                     {"steps":3,"loss":0.5}
 *     vdi_json_begin(&j, &writer, false);
 *     vdi_json_open(&j, NULL, '{');
 *     vdi_json_put_integer(&j, "steps", 3);
 *     vdi_json_put_number(&j, "loss", 0.5);
 *     vdi_json_close(&j);
 *     if (vdi_json_end(&j, &err) < 0) puts(err.message);
 *
 * Strict: valid UTF-8 without a byte order mark, no comments, no trailing commas, no lone
 * surrogates, a key once per object, numbers within the range of a double (correctly rounded;
 * integers of up to 64 bits exact too), depth up to 64.
 * Written: NaN and infinities as null, floats in the fewest digits that read back, bytes that are
 * no UTF-8 as U+FFFD, '<' as an escape (so that a page may hold the text in a script).
 *
 * Memory: two arena blocks, at most 40 bytes a token and the length of the text; nothing before the
 * text is known to be valid.
 * Errors: VDI_ERR_FORMAT with line and column. Threads: a parsed tree is constant.
 */
#ifndef VDI_IO_JSON_H
#define VDI_IO_JSON_H
#include "binary.h"
#include "stream.h"

/** What a value is. */
typedef enum vdi_json_type {
    VDI_JSON_NULL,
    VDI_JSON_BOOL,
    VDI_JSON_NUMBER,
    VDI_JSON_STRING,
    VDI_JSON_ARRAY,
    VDI_JSON_OBJECT
} vdi_json_type;

/** A value. Nodes lie in the order of the text: children follow their parent. Read it through the
 * functions below. */
typedef struct vdi_json {
    uint8_t type;        /**< a vdi_json_type */
    uint8_t is_integer;  /**< a number without point and exponent that int64 holds */
    int32_t count;       /**< elements of an array, members of an object */
    int32_t span;        /* nodes of this subtree */
    uint32_t key_length; /**< bytes of `key` */
    const char *key;     /**< where the parent is an object, ended with NUL; else NULL */
    /** The value: a number, or the start of a string. */
    union {
        double number;    /**< of a number */
        const char *text; /**< ended with NUL; may hold further NULs, written as an escape */
    } u;
    /** The value: a number as an integer, the length of a string, or a truth. */
    union {
        int64_t integer; /**< where is_integer */
        int64_t length;  /**< of a string, in bytes */
        bool truth;      /**< of true and false */
    } v;
} vdi_json;

/** Most levels of arrays and objects. */
#define VDI_JSON_DEPTH 64

/** Parse text[0..n) into `arena`; the text may be freed afterwards. `name` is for messages (may be
 * NULL). */
VDI_API VDI_NODISCARD vdi_status vdi_json_parse(vdi_arena *arena, const char *text, size_t n,
                                                const char *name, const vdi_json **root,
                                                vdi_error *err);
/** Parse a whole stream, at most 1 GiB. */
VDI_API VDI_NODISCARD vdi_status vdi_json_read(vdi_reader *r, vdi_arena *arena,
                                               const vdi_json **root, vdi_error *err);

/** The member of an object, or NULL (also where `object` is NULL or no object, so that look-ups
 * chain). */
VDI_API const vdi_json *vdi_json_get(const vdi_json *object, const char *key);
/** Element i of an array, or NULL. Walk with first and next where you want all. */
VDI_API const vdi_json *vdi_json_at(const vdi_json *array, int64_t i);
/** The first element or member, or NULL. */
VDI_API const vdi_json *vdi_json_first(const vdi_json *parent);
/** The one after `child`, or NULL. */
VDI_API const vdi_json *vdi_json_next(const vdi_json *parent, const vdi_json *child);
/** The value, or `fallback` where the node is NULL or of another type. */
VDI_API double vdi_json_as_number(const vdi_json *node, double fallback);
VDI_API int64_t vdi_json_as_integer(const vdi_json *node, int64_t fallback);
VDI_API bool vdi_json_as_bool(const vdi_json *node, bool fallback);
VDI_API const char *vdi_json_as_text(const vdi_json *node, const char *fallback);

/** JSON being written. Treat the members as private. */
typedef struct vdi_json_writer {
    vdi_writer *out;
    int depth;
    bool pretty, wrong; /* wrong: calls that do not make JSON */
    bool filled[VDI_JSON_DEPTH + 1];
    char closer[VDI_JSON_DEPTH + 1];
} vdi_json_writer;

/** Start one JSON text. `pretty`: lines and two spaces a level; else one line. */
VDI_API void vdi_json_begin(vdi_json_writer *j, vdi_writer *out, bool pretty);
/** Open an object ('{') or array ('['). In each call, `key` is the name inside an object and NULL
 * elsewhere. */
VDI_API void vdi_json_open(vdi_json_writer *j, const char *key, char bracket);
/** Close what was opened last. */
VDI_API void vdi_json_close(vdi_json_writer *j);
VDI_API void vdi_json_put_number(vdi_json_writer *j, const char *key, double x);
VDI_API void vdi_json_put_integer(vdi_json_writer *j, const char *key, int64_t x);
VDI_API void vdi_json_put_bool(vdi_json_writer *j, const char *key, bool x);
/** A string; NULL is written as null. */
VDI_API void vdi_json_put_text(vdi_json_writer *j, const char *key, const char *x);
/** Nested arrays in the shape of t, on one line. */
VDI_API void vdi_json_put_tensor(vdi_json_writer *j, const char *key, vdi_tensor t);
/** End the text with a newline and flush. VDI_ERR_STATE if brackets or keys did not match,
 * VDI_ERR_IO if writing failed. */
VDI_API vdi_status vdi_json_end(vdi_json_writer *j, vdi_error *err);

#ifndef VDI_NO_STDIO
/** Parse a file. */
VDI_API VDI_NODISCARD vdi_status vdi_json_load(const char *path, vdi_arena *arena,
                                               const vdi_json **root, vdi_error *err);
#endif

#endif /* VDI_IO_JSON_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_JSON_C)
#define VDI_IO_JSON_C

/* ---- parser ------------------------------------------------------------------------------------
 * One function, run twice. The first run (nodes NULL) checks everything and counts; the second
 * fills. */

typedef struct vdi__json_parser {
    const char *s, *end, *at;
    vdi_json *nodes;
    int64_t count;
    char *chars;
    size_t used;
    vdi_arena *arena; /* for the check of doubled keys */
    const char *why, *why_at;
    bool no_memory;
} vdi__json_parser;

VDI__FN bool vdi__json_fail(vdi__json_parser *p, const char *at, const char *why) {
    if (!p->why) {
        p->why = why;
        p->why_at = at;
    }
    return false;
}

VDI__FN void vdi__json_space(vdi__json_parser *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
}

VDI__FN bool vdi__json_hex4(vdi__json_parser *p, uint32_t *value) {
    static const char digits[] = "0123456789abcdefABCDEF";
    *value = 0;
    if (p->end - p->at < 4) return false;
    for (int i = 0; i < 4; i++) {
        const char *digit = (const char *)memchr(digits, *p->at++, sizeof digits - 1);
        if (!digit) return false;
        const uint32_t at = (uint32_t)(digit - digits);
        *value = *value << 4 | (at < 16 ? at : at - 6);
    }
    return true;
}

VDI__FN bool vdi__json_string(vdi__json_parser *p, const char **text, size_t *length) {
    static const char escape[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
    char *out = p->chars ? p->chars + p->used : NULL;
    size_t n = 0;
    const char *start = p->at++;
    for (;;) {
        char piece[4];
        size_t got = 1;
        if (p->at >= p->end) return vdi__json_fail(p, start, "a string has no end");
        char c = piece[0] = *p->at;
        if (c == '"') break;
        if ((unsigned char)c < 32) {
            return vdi__json_fail(p, p->at,
                                  "a control character in a string (write \\n, \\t or \\u)");
        }
        if (c != '\\') {
            if ((got = vdi__utf8_length(p->at, (size_t)(p->end - p->at))) == 0)
                return vdi__json_fail(p, p->at, "bytes that are not UTF-8");
            memcpy(piece, p->at, got);
            p->at += got;
        } else {
            const char *at = p->at++;
            const char *known = p->at < p->end && *p->at ? strchr(escape, *p->at) : NULL;
            if (known) {
                piece[0] = meaning[known - escape];
                p->at++;
            } else {
                uint32_t u, low;
                if (p->at >= p->end || *p->at++ != 'u' || !vdi__json_hex4(p, &u))
                    return vdi__json_fail(p, at, "an unknown escape in a string");
                if (u >= 0xD800 && u < 0xE000) {
                    bool pair =
                        u < 0xDC00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u';
                    if (pair) {
                        p->at += 2;
                        pair = vdi__json_hex4(p, &low) && low >= 0xDC00 && low < 0xE000;
                    }
                    if (!pair) return vdi__json_fail(p, at, "half of a surrogate pair");
                    u = 0x10000 + ((u - 0xD800) << 10) + (low - 0xDC00);
                }
                got = vdi__utf8_put(piece, u);
            }
        }
        if (out) memcpy(out + n, piece, got);
        n += got;
    }
    p->at++;
    if (out) {
        out[n] = 0; /* the two quotes leave room */
        p->used += n + 1;
    }
    *text = out;
    *length = n;
    return true;
}

VDI__FN bool vdi__json_digits(vdi__json_parser *p) {
    const char *start = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return p->at > start;
}

VDI__FN bool vdi__json_number(vdi__json_parser *p, vdi_json *node) {
    const char *start = p->at;
    if (*p->at == '-') p->at++;
    if (p->at < p->end && *p->at == '0')
        p->at++;
    else if (!vdi__json_digits(p))
        return vdi__json_fail(p, start, "expected a value");
    if (p->at < p->end && *p->at == '.') {
        p->at++;
        if (!vdi__json_digits(p))
            return vdi__json_fail(p, start, "a number has no digit after its point");
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-')) p->at++;
        if (!vdi__json_digits(p))
            return vdi__json_fail(p, start, "a number has no digit in its exponent");
    }
    size_t n = (size_t)(p->at - start);
    double x = 0;
    if (vdi_text_parse_double(start, n, &x) != n || !vdi__is_finite(x))
        return vdi__json_fail(p, start, "a number is beyond the range of a double");
    if (!node) return true;
    node->u.number = x;
    node->is_integer = vdi_text_parse_int(start, n, &node->v.integer) == n;
    return true;
}

VDI__FN bool vdi__json_key_before(const void *a, const void *b) {
    const vdi_json *x = (const vdi_json *)a, *y = (const vdi_json *)b;
    int c = memcmp(x->key, y->key, VDI__MIN(x->key_length, y->key_length));
    return c < 0 || (c == 0 && x->key_length < y->key_length);
}

/* Sorted, so that no choice of keys makes it slow. */
VDI__FN bool vdi__json_keys_differ(vdi__json_parser *p, const vdi_json *object, const char *at) {
    vdi_arena_mark mark = vdi_arena_get_mark(p->arena);
    const void **order =
        (const void **)vdi_arena_alloc(p->arena, (size_t)object->count * sizeof *order);
    int64_t n = 0;
    bool differ = true;
    if (!order) {
        p->no_memory = true;
        return false;
    }
    for (const vdi_json *x = vdi_json_first(object); x; x = vdi_json_next(object, x))
        order[n++] = x;
    vdi__sort(order, n, vdi__json_key_before);
    for (int64_t i = 0; i + 1 < n && differ; i++)
        differ = vdi__json_key_before(order[i], order[i + 1]);
    vdi_arena_rewind(p->arena, mark);
    return differ || vdi__json_fail(p, at, "an object has a key twice");
}

VDI__FN bool vdi__json_word(vdi__json_parser *p, vdi_json *node, vdi_json_type *type) {
    const char *word = *p->at == 't' ? "true" : "false";
    if (*p->at == 'n') word = "null";
    const size_t n = strlen(word);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0)
        return vdi__json_fail(p, p->at, "expected a value");
    *type = *word == 'n' ? VDI_JSON_NULL : VDI_JSON_BOOL;
    if (node) node->v.truth = *word == 't';
    p->at += n;
    return true;
}

/* A key and its colon. */
VDI__FN bool vdi__json_key(vdi__json_parser *p, const char **key, size_t *length) {
    if (p->at >= p->end || *p->at != '"')
        return vdi__json_fail(p, p->at, "expected a key in quotes");
    if (!vdi__json_string(p, key, length)) return false;
    vdi__json_space(p);
    if (p->at >= p->end || *p->at != ':')
        return vdi__json_fail(p, p->at, "expected ':' after a key");
    p->at++;
    return true;
}

VDI__FN bool vdi__json_value(vdi__json_parser *p, const char *key, size_t key_length, int depth);

/* What an array or object at `depth` holds, up to its closer. */
VDI__FN bool vdi__json_elements(vdi__json_parser *p, char closer, int depth, int32_t *count) {
    if (depth >= VDI_JSON_DEPTH)
        return vdi__json_fail(p, p->at, "arrays and objects are nested more than 64 deep");
    p->at++;
    vdi__json_space(p);
    if (p->at < p->end && *p->at == closer) {
        p->at++;
        return true;
    }
    for (;;) {
        const char *key = NULL;
        size_t length = 0;
        vdi__json_space(p);
        if (closer == '}' && !vdi__json_key(p, &key, &length)) return false;
        if (!vdi__json_value(p, key, length, depth + 1)) return false;
        ++*count;
        vdi__json_space(p);
        char c = p->at < p->end ? *p->at : 0;
        if (c != ',' && c != closer) {
            return vdi__json_fail(p, p->at,
                                  closer == ']' ? "expected ',' or ']'" : "expected ',' or '}'");
        }
        p->at++;
        if (c == closer) return true;
    }
}

VDI__FN bool vdi__json_value(vdi__json_parser *p, const char *key, size_t key_length, int depth) {
    vdi_json *node = p->nodes ? &p->nodes[p->count] : NULL;
    int64_t index = p->count++;
    vdi__json_space(p);
    const char *start = p->at, *text = NULL;
    size_t length = 0;
    vdi_json_type type = VDI_JSON_NULL;
    int32_t count = 0;
    if (p->at >= p->end) return vdi__json_fail(p, p->at, "expected a value, found the end");
    if (node) {
        memset(node, 0, sizeof *node);
        node->key = key;
        node->key_length = (uint32_t)key_length;
    }
    switch (*p->at) {
    case '"':
        type = VDI_JSON_STRING;
        if (!vdi__json_string(p, &text, &length)) return false;
        if (node) {
            node->u.text = text;
            node->v.length = (int64_t)length;
        }
        break;
    case 't':
    case 'f':
    case 'n':
        if (!vdi__json_word(p, node, &type)) return false;
        break;
    case '[':
        type = VDI_JSON_ARRAY;
        if (!vdi__json_elements(p, ']', depth, &count)) return false;
        break;
    case '{':
        type = VDI_JSON_OBJECT;
        if (!vdi__json_elements(p, '}', depth, &count)) return false;
        break;
    default:
        type = VDI_JSON_NUMBER;
        if (!vdi__json_number(p, node)) return false;
    }
    if (node) {
        node->type = (uint8_t)type;
        node->count = count;
        node->span = (int32_t)(p->count - index);
        if (type == VDI_JSON_OBJECT && count > 1) return vdi__json_keys_differ(p, node, start);
    }
    return true;
}

VDI__FN vdi_status vdi__json_error(const vdi__json_parser *p, const char *name, vdi_error *err) {
    long long line = 1, column = 1;
    char found[16];
    if (p->no_memory) {
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_json_parse", name,
                             "no memory for %lld values", (long long)p->count);
    }
    for (const char *c = p->s; c < p->why_at; c++) {
        column = *c == '\n' ? 1 : column + ((*c & 0xC0) != 0x80);
        line += *c == '\n';
    }
    const unsigned char byte = (unsigned char)(p->why_at < p->end ? *p->why_at : 0);
    (void)vdi_text_format(found, sizeof found, byte >= 127 ? "byte %x" : "'%c'", byte);
    if (p->why_at >= p->end) (void)vdi_text_copy(found, sizeof found, "the end");
    return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_json_parse", name,
                         "line %lld, column %lld: %s, found %s", line, column, p->why, found);
}

VDI__DEF vdi_status vdi_json_parse(vdi_arena *arena, const char *text, size_t n, const char *name,
                                   const vdi_json **root, vdi_error *err) {
    vdi__json_parser p = VDI__ZERO;
    vdi_arena_mark mark = vdi_arena_get_mark(arena);
    *root = NULL;
    if (n > INT32_MAX) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_json_parse", name,
                             "%zu bytes of JSON, at most 2 GiB are read", n);
    }
    p.s = text;
    p.end = text + n;
    p.arena = arena;
    for (int run = 0; run < 2; run++) {
        if (run == 1) {
            p.nodes =
                (vdi_json *)vdi_arena_alloc(arena, vdi_mul_size((size_t)p.count, sizeof *p.nodes));
            p.chars = (char *)vdi_arena_alloc(arena, n);
            p.no_memory = !p.nodes || !p.chars;
        }
        p.at = text;
        if (!p.no_memory) p.count = 0;
        bool ok = !p.no_memory && vdi__json_value(&p, NULL, 0, 0);
        vdi__json_space(&p);
        if (ok && p.at < p.end) ok = vdi__json_fail(&p, p.at, "text follows the value");
        if (!ok) {
            vdi_arena_rewind(arena, mark);
            return vdi__json_error(&p, name, err);
        }
    }
    *root = p.nodes;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_json_read(vdi_reader *r, vdi_arena *arena, const vdi_json **root,
                                  vdi_error *err) {
    char *text;
    size_t n, capacity;
    *root = NULL;
    vdi_status status =
        vdi__read_all(r, &arena->allocator, (size_t)1 << 30, &text, &n, &capacity, err);
    if (status < 0) return status;
    status = vdi_json_parse(arena, text, n, r->name, root, err);
    vdi_free(&arena->allocator, text, capacity);
    return status;
}

#ifndef VDI_NO_STDIO
typedef struct vdi__json_into {
    vdi_arena *arena;
    const vdi_json **root;
} vdi__json_into;

VDI__FN vdi_status vdi__json_load_fn(vdi_reader *r, const vdi_allocator *a, void *out,
                                     vdi_error *err) {
    const vdi__json_into *into = (const vdi__json_into *)out;
    (void)a;
    return vdi_json_read(r, into->arena, into->root, err);
}

VDI__DEF vdi_status vdi_json_load(const char *path, vdi_arena *arena, const vdi_json **root,
                                  vdi_error *err) {
    vdi__json_into into;
    into.arena = arena;
    into.root = root;
    *root = NULL;
    return vdi__load_file(path, vdi__json_load_fn, NULL, &into, err);
}
#endif

/* ---- look-up ---- */

VDI__DEF const vdi_json *vdi_json_first(const vdi_json *parent) {
    return parent && (parent->type == VDI_JSON_ARRAY || parent->type == VDI_JSON_OBJECT) &&
                   parent->count
               ? parent + 1
               : NULL;
}

VDI__DEF const vdi_json *vdi_json_next(const vdi_json *parent, const vdi_json *child) {
    const vdi_json *next = child + child->span;
    return next < parent + parent->span ? next : NULL;
}

VDI__DEF const vdi_json *vdi_json_get(const vdi_json *object, const char *key) {
    size_t n = strlen(key);
    if (!object || object->type != VDI_JSON_OBJECT) return NULL;
    for (const vdi_json *x = vdi_json_first(object); x; x = vdi_json_next(object, x))
        if (x->key_length == n && memcmp(x->key, key, n) == 0) return x;
    return NULL;
}

VDI__DEF const vdi_json *vdi_json_at(const vdi_json *array, int64_t i) {
    if (!array || array->type != VDI_JSON_ARRAY || i < 0 || i >= array->count) return NULL;
    const vdi_json *x = vdi_json_first(array);
    while (i-- > 0)
        x = vdi_json_next(array, x);
    return x;
}

VDI__DEF double vdi_json_as_number(const vdi_json *node, double fallback) {
    return node && node->type == VDI_JSON_NUMBER ? node->u.number : fallback;
}
VDI__DEF int64_t vdi_json_as_integer(const vdi_json *node, int64_t fallback) {
    return node && node->type == VDI_JSON_NUMBER && node->is_integer ? node->v.integer : fallback;
}
VDI__DEF bool vdi_json_as_bool(const vdi_json *node, bool fallback) {
    return node && node->type == VDI_JSON_BOOL ? node->v.truth : fallback;
}
VDI__DEF const char *vdi_json_as_text(const vdi_json *node, const char *fallback) {
    return node && node->type == VDI_JSON_STRING ? node->u.text : fallback;
}

/* ---- writer ---- */

VDI__DEF void vdi_json_begin(vdi_json_writer *j, vdi_writer *out, bool pretty) {
    memset(j, 0, sizeof *j);
    j->out = out;
    j->pretty = pretty;
}

VDI__FN void vdi__json_put_string(vdi_writer *w, const char *text) {
    size_t n = strlen(text), i = 0, plain = 0; /* text[plain..i) goes out as it is */
    vdi_write(w, "\"", 1);
    while (i < n) {
        unsigned char c = (unsigned char)text[i];
        size_t length = vdi__utf8_length(text + i, n - i);
        if (length && c >= 32 && c != '"' && c != '\\' && c != '<' && c != 127) {
            i += length;
            continue;
        }
        vdi_write(w, text + plain, i - plain);
        if (length == 0)
            vdi_write_text(w, VDI__UTF8_REPLACEMENT);
        else if (c == '"' || c == '\\')
            vdi_write_format(w, "\\%c", c);
        else if (c == '\n')
            vdi_write_text(w, "\\n");
        else if (c == '\t')
            vdi_write_text(w, "\\t");
        else
            vdi_write_format(w, c < 16 ? "\\u000%x" : "\\u00%x", (unsigned)c);
        plain = ++i;
    }
    vdi_write(w, text + plain, n - plain);
    vdi_write(w, "\"", 1);
}

VDI__FN void vdi__json_line(vdi_json_writer *j) {
    if (!j->pretty) return;
    vdi_write(j->out, "\n", 1);
    for (int i = 0; i < j->depth; i++)
        vdi_write(j->out, "  ", 2);
}

/* What stands before a value: comma, line, key. */
VDI__FN void vdi__json_lead(vdi_json_writer *j, const char *key) {
    bool object = j->depth && j->closer[j->depth] == '}';
    if (object != (key != NULL) || (j->depth == 0 && j->filled[0])) j->wrong = true;
    if (j->filled[j->depth]) vdi_write(j->out, ",", 1);
    if (j->depth) vdi__json_line(j);
    j->filled[j->depth] = true;
    if (key) {
        vdi__json_put_string(j->out, key);
        vdi_write(j->out, ": ", j->pretty ? 2 : 1);
    }
}

VDI__DEF void vdi_json_open(vdi_json_writer *j, const char *key, char bracket) {
    vdi__json_lead(j, key);
    if (j->depth == VDI_JSON_DEPTH || (bracket != '{' && bracket != '[')) {
        j->wrong = true;
        return;
    }
    vdi_write(j->out, &bracket, 1);
    j->depth++;
    j->filled[j->depth] = false;
    j->closer[j->depth] = bracket == '{' ? '}' : ']';
}

VDI__DEF void vdi_json_close(vdi_json_writer *j) {
    if (j->depth == 0) {
        j->wrong = true;
        return;
    }
    char closer = j->closer[j->depth];
    bool filled = j->filled[j->depth];
    j->depth--;
    if (filled) vdi__json_line(j);
    vdi_write(j->out, &closer, 1);
}

VDI__DEF void vdi_json_put_number(vdi_json_writer *j, const char *key, double x) {
    vdi__json_lead(j, key);
    if (vdi__is_finite(x))
        vdi_write_number(j->out, x, 0);
    else
        vdi_write_text(j->out, "null");
}

VDI__DEF void vdi_json_put_integer(vdi_json_writer *j, const char *key, int64_t x) {
    vdi__json_lead(j, key);
    vdi_write_format(j->out, "%lld", (long long)x);
}

VDI__DEF void vdi_json_put_bool(vdi_json_writer *j, const char *key, bool x) {
    vdi__json_lead(j, key);
    vdi_write_text(j->out, x ? "true" : "false");
}

VDI__DEF void vdi_json_put_text(vdi_json_writer *j, const char *key, const char *x) {
    vdi__json_lead(j, key);
    if (x)
        vdi__json_put_string(j->out, x);
    else
        vdi_write_text(j->out, "null");
}

VDI__FN void vdi__json_nested(vdi_writer *w, vdi_tensor t) {
    char text[VDI_TEXT_NUMBER];
    if (t.ndim == 0) {
        if (t.dtype == VDI_BOOL)
            vdi_write_text(w, vdi_dtype_load(t.dtype, t.data, 0) != 0 ? "true" : "false");
        else if (!vdi_dtype_is_real(t.dtype) || vdi_tensor_count_nonfinite(t) == 0)
            vdi_write(w, text, vdi__text_element(text, t, t.data, 0));
        else
            vdi_write_text(w, "null");
        return;
    }
    vdi_write(w, "[", 1);
    for (int64_t i = 0; i < t.shape[0]; i++) {
        if (i) vdi_write(w, ",", 1);
        vdi__json_nested(w, vdi_tensor_index(t, 0, i));
    }
    vdi_write(w, "]", 1);
}

VDI__DEF void vdi_json_put_tensor(vdi_json_writer *j, const char *key, vdi_tensor t) {
    vdi__json_lead(j, key);
    if (!vdi_tensor_ok(t))
        vdi_write_text(j->out, "null");
    else
        vdi__json_nested(j->out, t);
}

VDI__DEF vdi_status vdi_json_end(vdi_json_writer *j, vdi_error *err) {
    if (j->depth || !j->filled[0]) j->wrong = true;
    vdi_write(j->out, "\n", 1);
    vdi_status status = vdi_writer_flush(j->out, err);
    if (status == VDI_OK && j->wrong) {
        return vdi__io_error(err, VDI_ERR_STATE, "vdi_json_end", j->out->name,
                             "the calls make no JSON: brackets or keys do not match");
    }
    return status;
}
#endif
