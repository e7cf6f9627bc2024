/* tests/csv.c - tables as people write them, and as they break them */
#include "io.h"

static vdi_status read_text(const char *text, const vdi_allocator *a, vdi_csv *t, vdi_error *err) {
    vdi_reader r = vdi_reader_memory(text, strlen(text), "t.csv");
    return vdi_csv_read(&r, a, t, err);
}

TEST(csv, read) {
    static const struct {
        const char *text;
        int rows, cols, header;
    } cases[] = {
        {"1,2,3\n4,5,6\n", 2, 3, 0},
        {"1,2,3\r\n4,5,6", 2, 3, 0},
        {"a,b,c\n1,2,3\n4,5,6\n", 2, 3, 1},
        {"\xEF\xBB\xBF\"a\",\"b \"\"c\"\"\",c\n1,2,3\n\n 4 , 5 ,6\n\n", 2, 3, 1},
        {"# made by hand\n1;2;3\n# half way\n4;5;6\n", 2, 3, 0},
        {"1\t2\t3\n4\t5\t6\n", 2, 3, 0},
        {"1.0e0 2.0e0 3.0e0\n4.0e0 5.0e0 6.0e0\n", 2, 3, 0},
        {"  1   2  3  \n  4   5 6\n", 2, 3, 0},
        {"1 2 3\n4 5 6 ", 2, 3, 0},
        {"\"1\",\"2\",\"3\"\n1,2,3\n\"4\",5,6\n", 2, 3, 1},
        {"x\n1\n2\n", 2, 1, 1},
        {"a,b\n", 0, 2, 1},
    };
    vdi_csv t;
    vdi_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_OK(read_text(cases[i].text, NULL, &t, &err), err);
        CHECK(t.values.ndim == 2 && t.values.shape[0] == cases[i].rows &&
                  t.values.shape[1] == cases[i].cols && (t.name != NULL) == cases[i].header,
              "case %d", (int)i);
        for (int64_t k = 0; k < vdi_tensor_count(t.values); k++) {
            CHECK(((double *)t.values.data)[k] == (double)(k + 1), "case %d, cell %d", (int)i,
                  (int)k);
        }
        vdi_csv_free(&t);
    }
    CHECK_OK(read_text(cases[3].text, NULL, &t, &err), err);
    CHECK(strcmp(t.name[0], "a") == 0 && strcmp(t.name[1], "b \"c\"") == 0);
    vdi_tensor c = vdi_csv_column(&t, "c");
    int64_t one = 1;
    CHECK(c.ndim == 1 && c.shape[0] == 2 && vdi_tensor_get(c, &one) == 6 &&
          !vdi_tensor_ok(vdi_csv_column(&t, "d")));
    vdi_csv_free(&t);
}

static void *fill_alloc(size_t size, size_t align, void *user) {
    void *p = vdi_allocator_defaults(NULL).alloc_fn(size, align, NULL);
    return p ? memset(p, *(const char *)user, size) : NULL;
}
static void fill_free(void *p, size_t size, size_t align, void *user) {
    (void)user;
    vdi_allocator_defaults(NULL).free_fn(p, size, align, NULL);
}

/* A table ends with its text, whatever the memory behind it holds. */
TEST(csv, ends_with_its_text) {
    static const char *const text[] = {"1,2\n\"3\",\"4\"", "1,2\n3,4",    "1 2\n3 4",
                                       "1 2\n3 4\n ",      "1,2\n3,4\n#", "1,2\n3,4\r\n\t"};
    for (const char *fill = " \t\r\n,\"#5"; *fill; fill++) {
        for (size_t i = 0; i < VDI__COUNT(text); i++) {
            char with = *fill;
            const vdi_allocator a = {fill_alloc, fill_free, &with};
            vdi_csv t;
            vdi_error err;
            CHECK_OK(read_text(text[i], &a, &t, &err), err);
            CHECK(vdi_tensor_count(t.values) == 4 && ((double *)t.values.data)[3] == 4,
                  "text %zu before '%c'", i, with);
            vdi_csv_free(&t);
        }
    }
}

TEST(csv, missing) {
    vdi_csv t;
    vdi_error err;
    CHECK_OK(read_text("a,b,c,d\n1,,nan,NA\n,,,\n-inf,NaN,\"\",1e3\n", NULL, &t, &err), err);
    double *x = (double *)t.values.data;
    CHECK(t.values.shape[0] == 3 && x[0] == 1 && isnan(x[1]) && isnan(x[2]) && isnan(x[3]) &&
          isnan(x[4]) && isnan(x[7]) && x[8] == -INFINITY && x[11] == 1000);
    vdi_csv_free(&t);
    /* a row of nothing where tabs separate */
    CHECK_OK(read_text("\t\t\n1\t2\t3\n", NULL, &t, &err), err);
    vdi_csv_free(&t);
}

TEST(csv, refused) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "empty table"},
        {"\n# only a comment\n", "empty table"},
        {"1,2\n3\n", "line 2 has 1 cells, line 1 has 2"},
        {"# c\na,b\n1,2\n\n3,4,5\n", "line 5 has 3 cells, line 2 has 2"},
        {"a,b\n1,2\n3,x7\n", "line 3, cell 2: expected a number, found 'x7'"},
        {"1,2\n3,4 5\n", "line 2, cell 2"},
        {"1,\"2\n", "a quote has no end"},
        {"a,b\n1,\"2\"x\n", "a quote has no end, or text follows it"},
    };
    vdi_csv t;
    vdi_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_FAILS(read_text(cases[i].text, NULL, &t, &err), VDI_ERR_FORMAT);
        CHECK_SAYS(err, cases[i].says);
        CHECK_SAYS(err, "in t.csv");
        vdi_csv_free(&t); /* harmless */
    }
}

TEST(csv, round_trip) {
    double x[5] = {0.1, -1e-300, NAN, INFINITY, 123456789.125};
    float y[5] = {0.1f, 1, 2, 3, 16777216};
    int64_t n[5] = {INT64_MAX, INT64_MIN, 0, 1, -1};
    vdi_named_tensor columns[3];
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    vdi_csv t;
    columns[0].name = "x, \"quoted\"";
    columns[0].tensor = vdi_tensor_1d(x, VDI_F64, 5);
    columns[1].name = "12";
    columns[1].tensor = vdi_tensor_1d(y, VDI_F32, 5);
    columns[2].name = "n";
    columns[2].tensor = vdi_tensor_1d(n, VDI_I64, 5);
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    CHECK_OK(vdi_csv_write(&w, columns, 3, &err), err);
    CHECK(b.size > 60 &&
              memcmp(b.data, "\"x, \"\"quoted\"\"\",\"12\",n\n0.1,0.1,9223372036854775807\n", 51) ==
                  0,
          "%.*s", (int)b.size, b.data);
    vdi_reader r = vdi_reader_memory(b.data, b.size, NULL);
    CHECK_OK(vdi_csv_read(&r, NULL, &t, &err), err);
    CHECK(t.values.shape[0] == 5 && strcmp(t.name[0], columns[0].name) == 0 &&
          strcmp(t.name[1], "12") == 0);
    for (int i = 0; i < 5; i++) {
        double back = ((double *)t.values.data)[3 * i];
        CHECK(back == x[i] || (isnan(back) && isnan(x[i])), "%.17g came back as %.17g", x[i], back);
        CHECK((float)((double *)t.values.data)[3 * i + 1] == y[i]);
    }
    vdi_csv_free(&t);
    vdi_buffer_free(&b);
    columns[1].tensor = vdi_tensor_1d(y, VDI_F32, 4);
    size_t capacity = 1000;
    vdi_writer_init(&w, full_write, &capacity, "disk");
    CHECK_FAILS(vdi_csv_write(&w, columns, 3, &err), VDI_ERR_SHAPE);
    CHECK_SAYS(err, "column 1 is (4,), column 0 is (5,)");
    for (capacity = 0; capacity < 44; capacity += 4) {
        size_t left = capacity;
        vdi_writer_init(&w, full_write, &left, "disk");
        CHECK_FAILS(vdi_csv_write(&w, columns, 1, &err), VDI_ERR_IO);
    }
}

/* A log that grows. */
TEST(csv, rows) {
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    const char *const names[2] = {"step", "loss"};
    double row[2] = {1, 0.25};
    vdi_csv_write_names(&w, names, 2);
    vdi_csv_write_row(&w, row, 2);
    CHECK_OK(vdi_writer_flush(&w, &err), err);
    CHECK(b.size == 17 && memcmp(b.data, "step,loss\n1,0.25\n", 17) == 0);
    vdi_buffer_free(&b);
    /* names that are no UTF-8: the bytes are replaced, the rest stays */
    const char *const odd[2] = {"caf\xE9", "\xE2\x82\xAC,\xED\xA0\x80\""};
    const char want[] =
        "caf\xEF\xBF\xBD,\"\xE2\x82\xAC,\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"\"\"\n";
    vdi_writer_to_buffer(&w, &b);
    vdi_csv_write_names(&w, odd, 2);
    CHECK_OK(vdi_writer_flush(&w, &err), err);
    CHECK(b.size == strlen(want) && memcmp(b.data, want, b.size) == 0, "%.*s", (int)b.size, b.data);
    vdi_buffer_free(&b);
}

/* What is no number is told by line, cell and text, numbers with decimal commas too. */
TEST(csv, bad_cells) {
    static const struct {
        const char *text, *told;
    } bad[] = {
        {"a,b\n1,2\n3,4x\n", "line 3, cell 2: expected a number, found '4x'"},
        {"1;2,5\n3;4,25\n", "line 1, cell 2: expected a number with a decimal point, found '2,5'"},
        {"t;x\n1;2\n3;-4,25\n",
         "line 3, cell 2: expected a number with a decimal point, found '-4,25'"},
        {"1\t2\n3\t1,5e3\n",
         "line 2, cell 2: expected a number with a decimal point, found '1,5e3'"},
        {"1 2\n3 4,5\n", "line 2, cell 2: expected a number with a decimal point, found '4,5'"},
        {"1\n\x01\xff\n", "line 2, cell 1: expected a number, found '?"
                          "?'"},
        {"1\nabcdefghijklmnopqrstuvwxyzabcdefgh\n", "found 'abcdefghijklmnopqrstuvwxyzabcde...'"},
    };
    vdi_csv t;
    vdi_error err;
    for (size_t i = 0; i < VDI__COUNT(bad); i++) {
        CHECK_FAILS(read_text(bad[i].text, NULL, &t, &err), VDI_ERR_FORMAT);
        CHECK(strstr(err.message, bad[i].told), "%s", err.message);
        vdi_csv_free(&t);
    }
    /* commas that separate, beside another separator */
    CHECK_OK(read_text("a;b,c\n1,2\n", NULL, &t, &err), err);
    CHECK(t.values.shape[1] == 2 && t.name && strcmp(t.name[0], "a;b") == 0, "a name with ;");
    vdi_csv_free(&t);
}

TEST(csv, damage) {
    const char *text = "a,\"b \"\"x\"\"\",c\n1,2.5,\n\"3\",nan,-1e5\n";
    size_t n = strlen(text);
    char copy[64];
    unsigned long long seed = 21;
    vdi_csv t;
    vdi_error err;
    for (int i = 0; i < (int)test_scaled(30000); i++) {
        memcpy(copy, text, n + 1);
        size_t length = i % 2 ? n : (size_t)(test_uniform(&seed) * (double)n);
        for (int k = 0; k < i % 4; k++) {
            copy[(size_t)(test_uniform(&seed) * (double)n)] ^=
                (char)(1 << (int)(8 * test_uniform(&seed)));
        }
        char *exact = (char *)malloc(length + 1);
        memcpy(exact, copy, length);
        vdi_reader r = vdi_reader_memory(exact, length, NULL);
        if (vdi_csv_read(&r, NULL, &t, &err) == VDI_OK) CHECK(vdi_tensor_ok(t.values));
        vdi_csv_free(&t);
        free(exact);
    }
    for (long fail = 1;; fail++) {
        test_allocator counter = {0, fail, 0, 1};
        vdi_allocator a = test_allocator_of(&counter);
        vdi_status status = read_text(text, &a, &t, &err);
        vdi_csv_free(&t);
        CHECK(counter.live == 0);
        if (counter.requests < fail) {
            CHECK_OK(status, err);
            break;
        }
        CHECK(status == VDI_ERR_MEMORY);
    }
}

TEST(csv, files) {
    double x[2] = {1, 2};
    vdi_named_tensor column;
    vdi_csv t;
    vdi_error err;
    const char *path = scratch_path("files.csv");
    column.name = "x";
    column.tensor = vdi_tensor_1d(x, VDI_F64, 2);
    CHECK_OK(vdi_csv_save(path, &column, 1, &err), err);
    CHECK_OK(vdi_csv_load(path, NULL, &t, &err), err);
    CHECK(t.values.shape[0] == 2);
    vdi_csv_free(&t);
    remove(path);
    CHECK_FAILS(vdi_csv_load(path, NULL, &t, &err), VDI_ERR_IO);
    vdi_csv_free(&t);
}
