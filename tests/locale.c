/* tests/locale.c - what is written, and what is read back, is the same bytes wherever the host
 * program has set its locale: under a decimal comma as under the C locale */
#include "io.h"
#include <locale.h>

/* A locale with a decimal comma: VDI_TEST_LOCALE, or German. */
static bool decimal_comma(void) {
    const char *name = getenv("VDI_TEST_LOCALE");
    const char *set = setlocale(LC_ALL, name ? name : "de_DE.UTF-8");
    return set && strcmp(localeconv()->decimal_point, ",") == 0;
}

typedef struct filter_desc {
    double cutoff, gain;
    int64_t order;
} filter_desc;

static const vdi_field rows[] = {
    VDI_FIELD_REAL(filter_desc, cutoff, 0.5, 0, 1, "cut-off frequency"),
    VDI_FIELD_REAL(filter_desc, gain, 1.5, 0, 1e9, "gain"),
    VDI_FIELD_INT(filter_desc, order, 4, 1, 100000, "order"),
};
static const vdi_fields table = {"filter_desc", rows, 3};

/* Every writer of the library, one after the other. */
static vdi_buffer everything(void) {
    static double x[4] = {0.1, -1234567.25, 1e-7, 1e300};
    static const char *const head[2] = {"a", "b"};
    vdi_buffer b;
    vdi_writer w;
    vdi_error err = VDI__ZERO;
    vdi_tensor t = vdi_tensor_2d(x, VDI_F64, 2, 2);
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    (void)vdi_error_set(&err, VDI_ERR_DATA, "here", "%g is not %.9g", 0.5, 1234.5678);
    vdi_write_text(&w, err.message);
    vdi_write_format(&w, "%g %.17g %d", 0.1, 1.0 / 3, 1234567);
    vdi_write_number(&w, 1234567.125, 0);

    vdi_named_tensor columns[2];
    columns[0].name = "a";
    columns[1].name = "b";
    columns[0].tensor = vdi_tensor_index(t, 1, 0);
    columns[1].tensor = vdi_tensor_index(t, 1, 1);
    CHECK_OK(vdi_csv_write(&w, columns, 2, &err), err);

    vdi_json_writer j;
    vdi_json_begin(&j, &w, true);
    vdi_json_open(&j, NULL, '{');
    vdi_json_put_number(&j, "x", 0.1);
    vdi_json_put_tensor(&j, "t", t);
    vdi_json_close(&j);
    CHECK_OK(vdi_json_end(&j, &err), err);
    CHECK_OK(vdi_npy_write(&w, t, &err), err);

    static vdi_meta_list list;
    vdi_state state = VDI__ZERO;
    filter_desc d = {1.0 / 3, 12345.678, 1000};
    vdi_meta_clear(&list);
    CHECK_OK(vdi_fields_write(&table, &d, &list), err);
    state.tensors = columns;
    state.tensor_count = 2;
    state.meta = list.meta;
    state.meta_count = list.count;
    CHECK_OK(vdi_safetensors_write(&w, &state, &err), err);

    vdi_page page;
    vdi_figure f;
    vdi_figure_init(&f, NULL);
    vdi_panel_line(vdi_figure_panel(&f, 0, 0), "x", columns[0].tensor);
    vdi_panel_heatmap(vdi_figure_panel(&f, 0, 0), t);
    vdi_page_begin(&page, &w, "numbers");
    vdi_page_numbers(&page, head, NULL, t, 4);
    vdi_page_figure(&page, &f, NULL);
    CHECK_OK(vdi_page_end(&page, &err), err);
    vdi_figure_free(&f);
    return b;
}

static void read_back(void) {
    static const char text[] = "a,b\n0.5,-1234.25\n1e3,.333\n";
    static const char json[] = "{\"iters\": 3000, \"rate\": 0.0123}";
    vdi_error err;
    vdi_csv t;
    vdi_reader r = vdi_reader_memory(text, sizeof text - 1, "x.csv");
    CHECK_OK(vdi_csv_read(&r, NULL, &t, &err), err);
    const double *x = (const double *)t.values.data;
    CHECK(t.values.shape[1] == 2 && x[0] == 0.5 && x[1] == -1234.25 && x[2] == 1000 &&
          x[3] == .333);
    vdi_csv_free(&t);
    vdi_arena arena;
    const vdi_json *root;
    vdi_arena_init(&arena, NULL, 0);
    CHECK_OK(vdi_json_parse(&arena, json, sizeof json - 1, "x", &root, &err), err);
    CHECK(vdi_json_as_number(vdi_json_get(root, "rate"), 0) == 0.0123);
    vdi_arena_free(&arena);
    filter_desc d = {0, 0, 0};
    CHECK_OK(vdi_fields_set(&table, &d, "cutoff", "0.0123", &err), err);
    CHECK(d.cutoff == 0.0123);
    CHECK_FAILS(vdi_fields_set(&table, &d, "cutoff", "0,0123", &err), VDI_ERR_ARGUMENT);
}

TEST(locale, a_decimal_comma_changes_nothing) {
    vdi_buffer plain = everything();
    const char *old = setlocale(LC_ALL, NULL);
    char kept[100];
    snprintf(kept, sizeof kept, "%s", old ? old : "C");
    if (!decimal_comma()) {
        setlocale(LC_ALL, kept);
        vdi_buffer_free(&plain);
        SKIP("needs a locale with a decimal comma (VDI_TEST_LOCALE, or de_DE.UTF-8)");
    }
    char probe[20];
    snprintf(probe, sizeof probe, "%g", 0.5);
    vdi_buffer comma = everything();
    read_back();
    setlocale(LC_ALL, kept);
    CHECK(strcmp(probe, "0,5") == 0, "printf writes %s: the locale is not what it should be",
          probe);
    CHECK(plain.size == comma.size && memcmp(plain.data, comma.data, plain.size) == 0,
          "%zu bytes and %zu", plain.size, comma.size);
    read_back();
    vdi_buffer_free(&plain);
    vdi_buffer_free(&comma);
}
