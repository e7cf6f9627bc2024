/* core/field, core/state: defaults, ranges, text and metadata of a description, all from its
 * table */
#include "check.h"

typedef enum shape { ROUND, SQUARE } shape;

typedef struct part {
    int64_t count;
    int32_t small;
    double width, level, angle;
    bool has_level, plain, bare;
    shape outline;
    uint64_t seed;
    int64_t hidden[3];
    int32_t layers;
} part;

static const char *const outlines[] = {"round", "square", NULL};

static const vdi_field rows[] = {
    VDI_FIELD_INT_FLAGS(part, count, 0, 1, 9007199254740992.0, VDI_FIELD_REQUIRED, "parts"),
    VDI_FIELD_INT32(part, small, -3, -5, 5, "a small number"),
    VDI_FIELD_REAL_FLAGS(part, width, 0.1, 0, 1, VDI_FIELD_ABOVE, "width, in metres"),
    VDI_FIELD_REAL_TWIN(part, level, has_level, 2, -10, 10, VDI_FIELD_BELOW, "level, in dB"),
    VDI_FIELD_REAL_FLAGS(part, angle, 0, -4, 4, VDI_FIELD_NOT_SAVED | VDI_FIELD_COMPUTED, "angle"),
    VDI_FIELD_BOOL(part, plain, "without ornament"),
    VDI_FIELD_ENUM(part, outline, outlines, "its outline"),
    VDI_FIELD_SEED(part, seed, "seed"),
    VDI_FIELD_SIZES(part, hidden, layers, offsetof(part, bare), 3, 2, 60, 1, 1000,
                    "sizes of layers"),
};
static const vdi_fields table = {"part", rows, (int)(sizeof rows / sizeof *rows)};

static part filled(void) {
    part p;
    memset(&p, 0, sizeof p);
    p.count = 7;
    vdi_fields_fill(&table, &p);
    return p;
}

TEST(field, defaults_stand_for_zero) {
    part p = filled();
    CHECK(p.count == 7 && p.small == -3 && p.width == (double)0.1 && p.level == 2 && p.angle == 0);
    CHECK(p.layers == 2 && p.hidden[0] == 60 && p.hidden[1] == 60 && p.hidden[2] == 0 && !p.bare);
    CHECK(p.outline == ROUND && !p.plain && p.seed == 0);
    memset(&p, 0, sizeof p);
    p.has_level = true;
    p.bare = true;
    p.width = 0.7;
    vdi_fields_fill(&table, &p);
    CHECK(p.level == 0 && p.layers == 0 && p.width == (double)0.7, "what is given stays");
    CHECK(p.count == 0, "a required field has no default");
}

TEST(field, ranges_name_the_field_and_what_it_takes) {
    static const struct {
        const char *name, *value, *message;
    } bad[] = {
        {"count", "0", "count is 0: expected 1 to 9007199254740992"},
        {"small", "6", "small is 6: expected -5 to 5"},
        {"small", "4294967295", "small is 4294967295: expected -5 to 5"},
        {"width", "0", "width is 0: expected above 0, at most 1"},
        {"width", "nan", "width is nan: expected above 0, at most 1"},
        {"level", "10", "level is 10: expected at least -10, below 10"},
        {"level", "1e", "level is 1e: expected at least -10, below 10"},
        {"plain", "2", "plain is 2: expected 0 or 1"},
        {"outline", "oval", "outline is oval: expected round or square"},
        {"seed", "-1", "seed is -1: expected a whole number from 0 on"},
        {"seed", "18446744073709551616",
         "seed is 18446744073709551616: expected a whole number from 0 on"},
        {"hidden", "60,", "hidden is 60,: expected none, or up to 3 sizes from 1 to 1000"},
        {"hidden", "1,2,3,4", "hidden is 1,2,3,4: expected none, or up to 3 sizes from 1 to 1000"},
        {"hidden", "0.5", "hidden is 0.5: expected none, or up to 3 sizes from 1 to 1000"},
        {"depth", "1", "there is no field depth"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        part p = filled();
        vdi_error err = {VDI_OK, "", ""};
        CHECK_FAILS(vdi_fields_set(&table, &p, bad[i].name, bad[i].value, &err), VDI_ERR_ARGUMENT);
        CHECK(strcmp(err.message, bad[i].message) == 0, "%s", err.message);
    }
    part p = filled();
    vdi_error err;
    CHECK_OK(vdi_fields_check(&table, &p, &err), err);
    p.level = NAN;
    CHECK_FAILS(vdi_fields_check(&table, &p, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "level is nan: expected at least -10, below 10") == 0, "%s",
          err.message);
    p = filled();
    p.outline = (shape)2;
    CHECK_FAILS(vdi_fields_check(&table, &p, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "outline is 2: expected round or square") == 0, "%s", err.message);
    p = filled();
    p.hidden[1] = 1001;
    CHECK_FAILS(vdi_fields_check(&table, &p, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message,
                 "hidden is 60,1001: expected none, or up to 3 sizes from 1 to 1000") == 0);
    p = filled();
    p.layers = 4;
    CHECK_FAILS(vdi_fields_check(&table, &p, &err), VDI_ERR_ARGUMENT);
}

TEST(field, metadata_read_back_exactly) {
    vdi_meta_list list;
    vdi_error err;
    part p = filled(), q;
    memset(&list, 0, sizeof list);
    memset(&q, 0, sizeof q);
    p.width = 1.0 / 3;
    p.level = -0.0;
    p.angle = 1;
    p.plain = true;
    p.outline = SQUARE;
    p.seed = UINT64_MAX;
    p.layers = 0;
    p.bare = true;
    CHECK_OK(vdi_fields_write(&table, &p, &list), err);
    CHECK(list.count == table.count - 1, "the angle is not saved");
    CHECK_OK(vdi_fields_read(&table, &q, list.meta, list.count, &err), err);
    CHECK(q.count == 7 && q.small == -3 && q.width == (double)(1.0 / 3) && q.level == 0 &&
          signbit(q.level));
    CHECK(q.plain && q.outline == SQUARE && q.seed == UINT64_MAX && q.layers == 0 && q.bare &&
          q.has_level);
    CHECK(q.angle == 0);
    for (int64_t drop = 0; drop < list.count; drop++) {
        vdi_meta_list less = list;
        less.meta[drop] = less.meta[--less.count];
        CHECK_FAILS(vdi_fields_read(&table, &q, less.meta, less.count, &err), VDI_ERR_FORMAT);
        CHECK(strstr(err.message, list.meta[drop].key), "%s", err.message);
    }
    list.meta[2].value = "3";
    CHECK_FAILS(vdi_fields_read(&table, &q, list.meta, list.count, &err), VDI_ERR_FORMAT);
    CHECK(strcmp(err.message, "in the metadata, width is 3: expected above 0, at most 1") == 0,
          "%s", err.message);
}

TEST(field, a_full_list_says_so) {
    vdi_meta_list list;
    memset(&list, 0, sizeof list);
    for (int i = 0; i < VDI_META_ENTRIES; i++) {
        CHECK(vdi_meta_put_int(&list, "key", i) == VDI_OK);
    }
    CHECK_FAILS(vdi_meta_put_real(&list, "key", 0.5), VDI_ERR_MEMORY);
    vdi_meta_clear(&list);
    static char text[VDI_META_BYTES];
    memset(text, 'x', sizeof text - 2);
    CHECK(vdi_meta_put_text(&list, "long", text) == VDI_OK);
    CHECK(vdi_meta_put_text(&list, "empty", "") == VDI_OK);
    CHECK_FAILS(vdi_meta_put_text(&list, "more", ""), VDI_ERR_MEMORY);
    CHECK(strcmp(vdi_meta_find(list.meta, list.count, "long"), text) == 0);
    CHECK(vdi_meta_find(list.meta, list.count, "short") == NULL);
}

TEST(field, ranges_as_words) {
    static const struct {
        const vdi_fields *(*fields)(void);
        const char *name, *text;
    } rows[] = {{vdi_sacd_desc_fields, "gamma", "above 0, at most 1"},
                {vdi_sacd_desc_fields, "algo", NULL},
                {vdi_lds_desc_fields, "d", "1 to 1024"}};
    char text[160], less[8];
    for (size_t i = 0; i < VDI__COUNT(rows); i++) {
        const vdi_field *f = vdi_fields_find(rows[i].fields(), rows[i].name);
        CHECK(f != NULL, "%s", rows[i].name);
        if (!f) continue;
        const size_t n = vdi_field_range_text(f, text, sizeof text);
        CHECK(n == strlen(text) && n > 4, "%s", text);
        if (rows[i].text) {
            CHECK(strcmp(text, rows[i].text) == 0, "%s: %s", rows[i].name, text);
        } else {
            CHECK(strstr(text, vdi_sacd_algo_name((vdi_sacd_algo)0)) && strstr(text, " or "), "%s",
                  text);
        }
        vdi_field_range_text(f, less, sizeof less);
        CHECK(strncmp(less, text, sizeof less - 1) == 0 && strlen(less) == sizeof less - 1, "%s",
              less);
    }
    CHECK(vdi_fields_find(vdi_lds_desc_fields(), "dim") == NULL, "a name that is none");
}
