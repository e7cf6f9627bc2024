/* core/field.h - one table per description: defaults, ranges, metadata, options and help come from
 * the same rows
 *
 * Do this:
 *     typedef struct filter_desc { int64_t order; double cutoff; } filter_desc;
 *     static const vdi_field rows[] = {
 *         VDI_FIELD_INT(filter_desc, order, 4, 1, 16, "order of the filter"),
 *         VDI_FIELD_REAL(filter_desc, cutoff, 0.5, 0, 1, "cut-off, share of the sampling rate"),
 *     };
 *     static const vdi_fields table = {"filter_desc", rows, 2};
 *     filter_desc d = {0};
 *     vdi_fields_fill(&table, &d);                                     order 4, cutoff 0.5
 *     if (vdi_fields_set(&table, &d, "cutoff", "0.3", &err) < 0) puts(err.message);
 *     if (vdi_fields_check(&table, &d, &err) < 0) puts(err.message);   "cutoff is 3: expected ..."
 *
 * Zero means the default. Where zero is a value of its own, the description has a bool beside the
 * field (its twin): if it is set, the field is used as given. A default that depends on other
 * fields is no number: the row says VDI_FIELD_COMPUTED, and the model fills it in.
 * What it does NOT do: pointers, callbacks and sizes that depend on each other; a model checks
 * those by hand.
 */
#ifndef VDI_CORE_FIELD_H
#define VDI_CORE_FIELD_H
#include "state.h"
#include "status.h"

/** What a field of a description is. */
typedef enum vdi_field_type {
    VDI_FIELD_TYPE_INT,   /**< int64_t */
    VDI_FIELD_TYPE_INT32, /**< int or int32_t */
    VDI_FIELD_TYPE_SEED,  /**< uint64_t, all values */
    VDI_FIELD_TYPE_REAL,  /**< double, never NaN */
    VDI_FIELD_TYPE_BOOL,  /**< bool; as text 0 or 1 */
    VDI_FIELD_TYPE_ENUM,  /**< an enum that counts from 0; as text one of `words` */
    VDI_FIELD_TYPE_SIZES  /**< int64_t[capacity], their number in an int or int32_t; as text "60,60"
                               or "none" */
} vdi_field_type;

/** Properties of a row, to be added up. */
enum {
    VDI_FIELD_REQUIRED = 1,   /**< there is no default: zero stays, and the range judges it */
    VDI_FIELD_COMPUTED = 2,   /**< the default depends on other fields; the model fills it in */
    VDI_FIELD_ABOVE = 4,      /**< the least value itself is excluded */
    VDI_FIELD_BELOW = 8,      /**< the largest value itself is excluded */
    VDI_FIELD_NOT_SAVED = 16, /**< about this run alone: no part of the metadata */
    VDI_FIELD_ADDED = 32      /**< younger than the format: metadata without it stand for the
                                   default */
};

/** The place of no field. */
#define VDI_FIELD_NONE ((size_t)-1)

/** A row: one field of a description. */
typedef struct vdi_field {
    const char *name;         /**< of the member, and its key in metadata */
    vdi_field_type type;      /**< what stands at `offset` */
    size_t offset;            /**< offsetof the member */
    size_t twin;              /**< offsetof the bool that says "as it stands", or VDI_FIELD_NONE */
    double initial;           /**< what zero stands for; of SIZES: each size */
    double least, most;       /**< the range; of SIZES: of each size */
    const char *const *words; /**< ENUM: the names of its values, then NULL */
    size_t number;            /**< SIZES: offsetof their number; ENUM: sizeof the member */
    int capacity;             /**< SIZES: most entries */
    int initial_number;       /**< SIZES: how many where none is given */
    unsigned flags;           /**< VDI_FIELD_REQUIRED ... */
    const char *help;         /**< one line, with the unit */
} vdi_field;

/** The table of a description. */
typedef struct vdi_fields {
    const char *name;      /**< of the description, for messages */
    const vdi_field *rows; /**< (count) */
    int count;             /**< how many */
} vdi_fields;

/** A row each. FLAGS variants take the properties; TWIN variants the bool beside the field. */
#define VDI_FIELD_INT(type, member, initial, least, most, help) \
    VDI__FIELD(type, member, VDI_FIELD_TYPE_INT, VDI_FIELD_NONE, initial, least, most, 0, help)
#define VDI_FIELD_INT_FLAGS(type, member, initial, least, most, flags, help) \
    VDI__FIELD(type, member, VDI_FIELD_TYPE_INT, VDI_FIELD_NONE, initial, least, most, flags, help)
#define VDI_FIELD_INT_TWIN(type, member, twin, initial, least, most, help)                      \
    VDI__FIELD(type, member, VDI_FIELD_TYPE_INT, offsetof(type, twin), initial, least, most, 0, \
               help)
#define VDI_FIELD_INT32(type, member, initial, least, most, help) \
    VDI__FIELD(type, member, VDI_FIELD_TYPE_INT32, VDI_FIELD_NONE, initial, least, most, 0, help)
#define VDI_FIELD_REAL(type, member, initial, least, most, help) \
    VDI__FIELD(type, member, VDI_FIELD_TYPE_REAL, VDI_FIELD_NONE, initial, least, most, 0, help)
#define VDI_FIELD_REAL_FLAGS(type, member, initial, least, most, flags, help) \
    VDI__FIELD(type, member, VDI_FIELD_TYPE_REAL, VDI_FIELD_NONE, initial, least, most, flags, help)
#define VDI_FIELD_REAL_TWIN(type, member, twin, initial, least, most, flags, help)            \
    VDI__FIELD(type, member, VDI_FIELD_TYPE_REAL, offsetof(type, twin), initial, least, most, \
               flags, help)
#define VDI_FIELD_SEED(type, member, help) \
    VDI__FIELD(type, member, VDI_FIELD_TYPE_SEED, VDI_FIELD_NONE, 0, 0, 0, 0, help)
#define VDI_FIELD_BOOL(type, member, help) \
    VDI__FIELD(type, member, VDI_FIELD_TYPE_BOOL, VDI_FIELD_NONE, 0, 0, 1, 0, help)
#define VDI_FIELD_ENUM(type, member, words, help)                                             \
    {                                                                                         \
#member, VDI_FIELD_TYPE_ENUM, offsetof(type, member), VDI_FIELD_NONE, 0, 0, 0, words, \
            sizeof(((type *)0)->member), 0, 0, 0, help                                        \
    }
#define VDI_FIELD_SIZES(type, member, number, none, capacity, initial_number, initial, least,    \
                        most, help)                                                              \
    {                                                                                            \
#member, VDI_FIELD_TYPE_SIZES, offsetof(type, member), none, initial, least, most, NULL, \
            offsetof(type, number), capacity, initial_number, 0, help                            \
    }
#define VDI__FIELD(type, member, kind, twin, initial, least, most, flags, help)                  \
    {                                                                                            \
#member, kind, offsetof(type, member), twin, initial, least, most, NULL, VDI_FIELD_NONE, \
            0, 0, flags, help                                                                    \
    }

/** The row of that name, or NULL. */
VDI_API const vdi_field *vdi_fields_find(const vdi_fields *fields, const char *name);
/** Put the default where a field is zero and its twin, if it has one, is not set; twins of numbers
 * are set afterwards. */
VDI_API void vdi_fields_fill(const vdi_fields *fields, void *desc);
/** VDI_OK, or VDI_ERR_ARGUMENT naming the first field out of its range, its value and the range. */
VDI_API vdi_status vdi_fields_check(const vdi_fields *fields, const void *desc, vdi_error *err);
/** Set a field from text, and its twin. VDI_ERR_ARGUMENT if there is no such field, or the text is
 * not a value within its range. */
VDI_API vdi_status vdi_fields_set(const vdi_fields *fields, void *desc, const char *name,
                                  const char *text, vdi_error *err);
/** The value of a field as text that reads back exactly; returns the length. `buf` of `cap` bytes
 * is terminated. */
VDI_API size_t vdi_field_text(const vdi_field *field, const void *desc, char *buf, size_t cap);
/** The values that a field takes, as words: "1 to 16", "above 0, at most 1", "poisson, gaussian or
 * gc". */
VDI_API size_t vdi_field_range_text(const vdi_field *field, char *buf, size_t cap);
/** Add every field that is saved to a list of metadata. VDI_ERR_MEMORY if the list is full. */
VDI_API vdi_status vdi_fields_write(const vdi_fields *fields, const void *desc,
                                    vdi_meta_list *list);
/** Read every field that is saved out of metadata, and set the twins. VDI_ERR_FORMAT names the key
 * that is missing or wrong. */
VDI_API vdi_status vdi_fields_read(const vdi_fields *fields, void *desc, const vdi_meta *meta,
                                   int64_t count, vdi_error *err);

#endif /* VDI_CORE_FIELD_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_FIELD_C)
#define VDI_CORE_FIELD_C

/* Longest text of a value: sizes are the longest. */
enum { VDI__FIELD_TEXT = 320 };

VDI__FN char *vdi__field_at(const vdi_field *f, void *desc) { return (char *)desc + f->offset; }

/* An enum is an int, except where -fshort-enums is the default (bare-metal ARM): there it has the
 * size that its values need. */
VDI__FN double vdi__field_enum(const vdi_field *f, const char *at) {
    unsigned char one = 0;
    uint16_t two = 0;
    int32_t four = 0;
    if (f->number == sizeof one) {
        memcpy(&one, at, sizeof one);
        return one;
    }
    if (f->number == sizeof two) {
        memcpy(&two, at, sizeof two);
        return two;
    }
    memcpy(&four, at, sizeof four);
    return four;
}

VDI__FN void vdi__field_set_enum(const vdi_field *f, char *at, int32_t value) {
    const unsigned char one = (unsigned char)value;
    const uint16_t two = (uint16_t)value;
    if (f->number == sizeof one) {
        memcpy(at, &one, sizeof one);
    } else if (f->number == sizeof two) {
        memcpy(at, &two, sizeof two);
    } else {
        memcpy(at, &value, sizeof value);
    }
}

/* Numbers of every type as double: what a table gives as range is exact in it. */
VDI__FN double vdi__field_load(const vdi_field *f, const void *desc) {
    const char *at = (const char *)desc + f->offset;
    int64_t whole = 0;
    int32_t small = 0;
    double real = 0;
    bool flag = false;
    switch (f->type) {
    case VDI_FIELD_TYPE_INT: memcpy(&whole, at, sizeof whole); return (double)whole;
    case VDI_FIELD_TYPE_INT32: memcpy(&small, at, sizeof small); return (double)small;
    case VDI_FIELD_TYPE_ENUM: return vdi__field_enum(f, at);
    case VDI_FIELD_TYPE_REAL: memcpy(&real, at, sizeof real); return real;
    case VDI_FIELD_TYPE_BOOL: memcpy(&flag, at, sizeof flag); return flag;
    default: return 0;
    }
}

/* A real may be larger than any whole number: only what is stored as one is converted. */
VDI__FN void vdi__field_store(const vdi_field *f, void *desc, double value) {
    char *at = vdi__field_at(f, desc);
    const bool real = f->type == VDI_FIELD_TYPE_REAL, flag = value != 0;
    const int64_t whole = real ? 0 : (int64_t)value;
    const int32_t small = (int32_t)(f->type == VDI_FIELD_TYPE_INT ? 0 : whole);
    switch (f->type) {
    case VDI_FIELD_TYPE_INT: memcpy(at, &whole, sizeof whole); break;
    case VDI_FIELD_TYPE_INT32: memcpy(at, &small, sizeof small); break;
    case VDI_FIELD_TYPE_ENUM: vdi__field_set_enum(f, at, small); break;
    case VDI_FIELD_TYPE_REAL: memcpy(at, &value, sizeof value); break;
    case VDI_FIELD_TYPE_BOOL: memcpy(at, &flag, sizeof flag); break;
    default: break;
    }
}

VDI__FN int32_t vdi__field_number(const vdi_field *f, const void *desc) {
    int32_t number;
    memcpy(&number, (const char *)desc + f->number, sizeof number);
    return number;
}

VDI__FN bool vdi__field_twin(const vdi_field *f, const void *desc) {
    bool set = false;
    if (f->twin != VDI_FIELD_NONE) memcpy(&set, (const char *)desc + f->twin, sizeof set);
    return set;
}

VDI__FN void vdi__field_set_twin(const vdi_field *f, void *desc, bool set) {
    if (f->twin != VDI_FIELD_NONE) memcpy((char *)desc + f->twin, &set, sizeof set);
}

VDI__FN bool vdi__field_within(const vdi_field *f, double x) {
    const bool above = f->flags & VDI_FIELD_ABOVE ? x > f->least : x >= f->least;
    const bool below = f->flags & VDI_FIELD_BELOW ? x < f->most : x <= f->most;
    return above && below; /* a NaN is neither */
}

VDI__DEF const vdi_field *vdi_fields_find(const vdi_fields *fields, const char *name) {
    for (int i = 0; i < fields->count; i++) {
        if (strcmp(fields->rows[i].name, name) == 0) return &fields->rows[i];
    }
    return NULL;
}

/* ---- defaults ---------------------------------------------------------------------------- */

VDI__FN void vdi__field_fill_sizes(const vdi_field *f, void *desc) {
    int64_t *size = (int64_t *)(void *)vdi__field_at(f, desc);
    int32_t number = vdi__field_number(f, desc);
    if (number == 0 && !vdi__field_twin(f, desc)) {
        number = f->initial_number;
        memcpy((char *)desc + f->number, &number, sizeof number);
    }
    for (int i = 0; i < number && i < f->capacity; i++) {
        if (size[i] == 0) size[i] = (int64_t)f->initial;
    }
}

VDI__DEF void vdi_fields_fill(const vdi_fields *fields, void *desc) {
    for (int i = 0; i < fields->count; i++) {
        const vdi_field *f = &fields->rows[i];
        if (f->type == VDI_FIELD_TYPE_SIZES) {
            vdi__field_fill_sizes(f, desc);
            continue;
        }
        if (f->type == VDI_FIELD_TYPE_SEED || f->flags & (VDI_FIELD_REQUIRED | VDI_FIELD_COMPUTED))
            continue;
        if (vdi__field_load(f, desc) == 0 && !vdi__field_twin(f, desc)) {
            vdi__field_store(f, desc, f->initial);
        }
        vdi__field_set_twin(f, desc, true);
    }
}

/* ---- ranges -------------------------------------------------------------------------------- */

VDI__FN int vdi__field_words(const vdi_field *f) {
    int n = 0;
    while (f->words[n]) {
        n++;
    }
    return n;
}

VDI__DEF size_t vdi_field_range_text(const vdi_field *f, char *buf, size_t cap) {
    size_t n = 0;
    if (f->type == VDI_FIELD_TYPE_BOOL) return vdi_text_copy(buf, cap, "0 or 1");
    if (f->type == VDI_FIELD_TYPE_SEED) return vdi_text_copy(buf, cap, "a whole number from 0 on");
    if (f->type == VDI_FIELD_TYPE_ENUM) {
        const int words = vdi__field_words(f);
        if (cap) buf[0] = 0;
        for (int i = 0; i < words; i++) {
            const char *between = i == 0 ? "" : i + 1 < words ? ", " : " or ";
            n += vdi_text_format(buf + n, cap - n, "%s%s", between, f->words[i]);
        }
        return n;
    }
    const bool whole = f->type != VDI_FIELD_TYPE_REAL;
    if (f->type == VDI_FIELD_TYPE_SIZES) {
        const bool may_be_empty = f->twin != VDI_FIELD_NONE || f->initial_number == 0;
        n = vdi_text_format(buf, cap, "%sup to %d sizes from ", may_be_empty ? "none, or " : "",
                            f->capacity);
        return n + vdi_text_format(buf + n, cap - n, "%lld to %lld", (long long)f->least,
                                   (long long)f->most);
    }
    if (f->flags & (VDI_FIELD_ABOVE | VDI_FIELD_BELOW)) {
        return vdi_text_format(buf, cap, "%s%s %g, %s %g", whole ? "a whole number " : "",
                               f->flags & VDI_FIELD_ABOVE ? "above" : "at least", f->least,
                               f->flags & VDI_FIELD_BELOW ? "below" : "at most", f->most);
    }
    if (whole) {
        return vdi_text_format(buf, cap, "%lld to %lld", (long long)f->least, (long long)f->most);
    }
    return vdi_text_format(buf, cap, "%g to %g", f->least, f->most);
}

VDI__FN vdi_status vdi__field_complain(const vdi_fields *fields, const vdi_field *f,
                                       const char *value, vdi_error *err) {
    char range[VDI__FIELD_TEXT];
    (void)vdi_field_range_text(f, range, sizeof range);
    return vdi_error_set(err, VDI_ERR_ARGUMENT, fields->name, "%s is %s: expected %s", f->name,
                         value, range);
}

VDI__FN bool vdi__field_ok(const vdi_field *f, const void *desc) {
    if (f->type == VDI_FIELD_TYPE_SEED || f->type == VDI_FIELD_TYPE_BOOL) return true;
    if (f->type == VDI_FIELD_TYPE_ENUM) {
        const double value = vdi__field_load(f, desc);
        return value >= 0 && value < vdi__field_words(f);
    }
    if (f->type != VDI_FIELD_TYPE_SIZES) return vdi__field_within(f, vdi__field_load(f, desc));
    const int64_t *size = (const int64_t *)(const void *)((const char *)desc + f->offset);
    const int32_t number = vdi__field_number(f, desc);
    if (number < 0 || number > f->capacity) return false;
    for (int i = 0; i < number; i++) {
        if (!vdi__field_within(f, (double)size[i])) return false;
    }
    return true;
}

VDI__DEF vdi_status vdi_fields_check(const vdi_fields *fields, const void *desc, vdi_error *err) {
    for (int i = 0; i < fields->count; i++) {
        const vdi_field *f = &fields->rows[i];
        char value[VDI__FIELD_TEXT];
        if (vdi__field_ok(f, desc)) continue;
        (void)vdi_field_text(f, desc, value, sizeof value);
        return vdi__field_complain(fields, f, value, err);
    }
    return VDI_OK;
}

/* ---- text ---------------------------------------------------------------------------------- */

VDI__DEF size_t vdi_field_text(const vdi_field *f, const void *desc, char *buf, size_t cap) {
    char number[VDI_TEXT_NUMBER];
    const double value = vdi__field_load(f, desc);
    if (f->type == VDI_FIELD_TYPE_REAL) {
        (void)vdi_text_double(number, value, 0);
        return vdi_text_copy(buf, cap, number);
    }
    if (f->type == VDI_FIELD_TYPE_ENUM && value >= 0 && value < vdi__field_words(f)) {
        return vdi_text_copy(buf, cap, f->words[(int)value]);
    }
    if (f->type == VDI_FIELD_TYPE_SEED) {
        uint64_t seed;
        memcpy(&seed, (const char *)desc + f->offset, sizeof seed);
        return vdi_text_format(buf, cap, "%llu", (unsigned long long)seed);
    }
    if (f->type == VDI_FIELD_TYPE_INT) {
        int64_t whole;
        memcpy(&whole, (const char *)desc + f->offset, sizeof whole);
        return vdi_text_format(buf, cap, "%lld", (long long)whole);
    }
    if (f->type != VDI_FIELD_TYPE_SIZES) return vdi_text_format(buf, cap, "%d", (int)value);
    const int64_t *size = (const int64_t *)(const void *)((const char *)desc + f->offset);
    const int32_t sizes = vdi__field_number(f, desc);
    if (sizes < 0 || sizes > f->capacity) return vdi_text_format(buf, cap, "%d sizes", (int)sizes);
    if (sizes == 0) return vdi_text_copy(buf, cap, "none");
    size_t n = 0;
    for (int i = 0; i < sizes; i++) {
        n += vdi_text_format(buf + n, cap - n, "%s%lld", i ? "," : "", (long long)size[i]);
    }
    return n;
}

/* "60,60" or "none" into a list of sizes; false if it is neither. */
VDI__FN bool vdi__field_parse_sizes(const vdi_field *f, void *desc, const char *text) {
    int64_t *size = (int64_t *)(void *)vdi__field_at(f, desc);
    int32_t number = 0;
    const bool none = strcmp(text, "none") == 0;
    if (none && f->twin == VDI_FIELD_NONE && f->initial_number > 0) return false;
    for (const char *at = text; !none; at++) {
        const size_t length = strcspn(at, ",");
        if (number == f->capacity || length == 0) return false;
        if (vdi_text_parse_int(at, length, &size[number]) != length) return false;
        if (!vdi__field_within(f, (double)size[number])) return false;
        number++;
        at += length;
        if (!*at) break;
    }
    memcpy((char *)desc + f->number, &number, sizeof number);
    vdi__field_set_twin(f, desc, none);
    return true;
}

/* The value of a number, a flag or a word; false if the text is none. */
VDI__FN bool vdi__field_parse(const vdi_field *f, void *desc, const char *text) {
    const size_t length = strlen(text);
    int64_t whole = 0;
    double real = 0;
    if (f->type == VDI_FIELD_TYPE_ENUM) {
        for (int i = 0; f->words[i]; i++) {
            if (strcmp(f->words[i], text) != 0) continue;
            vdi__field_store(f, desc, i);
            return true;
        }
        return false;
    }
    if (f->type == VDI_FIELD_TYPE_REAL) {
        if (length == 0 || vdi_text_parse_double(text, length, &real) != length) return false;
        if (!vdi__field_within(f, real)) return false;
        vdi__field_store(f, desc, real);
        return true;
    }
    if (f->type == VDI_FIELD_TYPE_SEED) {
        uint64_t seed = 0;
        if (length == 0 || vdi_text_parse_unsigned(text, length, &seed) != length) return false;
        memcpy(vdi__field_at(f, desc), &seed, sizeof seed);
        return true;
    }
    if (length == 0 || vdi_text_parse_int(text, length, &whole) != length) return false;
    if (!vdi__field_within(f, (double)whole)) return false;
    if (f->type == VDI_FIELD_TYPE_INT) {
        memcpy(vdi__field_at(f, desc), &whole, sizeof whole);
        return true;
    }
    vdi__field_store(f, desc, (double)whole);
    return true;
}

VDI__DEF vdi_status vdi_fields_set(const vdi_fields *fields, void *desc, const char *name,
                                   const char *text, vdi_error *err) {
    const vdi_field *f = vdi_fields_find(fields, name);
    if (!f) return vdi_error_set(err, VDI_ERR_ARGUMENT, fields->name, "there is no field %s", name);
    if (f->type == VDI_FIELD_TYPE_SIZES) {
        if (!vdi__field_parse_sizes(f, desc, text))
            return vdi__field_complain(fields, f, text, err);
        return VDI_OK;
    }
    if (!vdi__field_parse(f, desc, text)) return vdi__field_complain(fields, f, text, err);
    vdi__field_set_twin(f, desc, true);
    return VDI_OK;
}

/* ---- metadata ------------------------------------------------------------------------------ */

VDI__DEF vdi_status vdi_fields_write(const vdi_fields *fields, const void *desc,
                                     vdi_meta_list *list) {
    for (int i = 0; i < fields->count; i++) {
        const vdi_field *f = &fields->rows[i];
        char text[VDI__FIELD_TEXT];
        if (f->flags & VDI_FIELD_NOT_SAVED) continue;
        (void)vdi_field_text(f, desc, text, sizeof text);
        const vdi_status status = vdi_meta_put_text(list, f->name, text);
        if (status < 0) return status;
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_fields_read(const vdi_fields *fields, void *desc, const vdi_meta *meta,
                                    int64_t count, vdi_error *err) {
    for (int i = 0; i < fields->count; i++) {
        const vdi_field *f = &fields->rows[i];
        vdi_error detail;
        if (f->flags & VDI_FIELD_NOT_SAVED) continue;
        const char *text = vdi_meta_find(meta, count, f->name);
        if (!text && f->flags & VDI_FIELD_ADDED) continue;
        if (!text) {
            return vdi_error_set(err, VDI_ERR_FORMAT, fields->name,
                                 "expected \"%s\" in the metadata, which have none", f->name);
        }
        if (vdi_fields_set(fields, desc, f->name, text, &detail) < 0) {
            return vdi_error_set(err, VDI_ERR_FORMAT, fields->name, "in the metadata, %s",
                                 detail.message);
        }
    }
    return VDI_OK;
}
#endif
