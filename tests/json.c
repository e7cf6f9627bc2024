/* tests/json.c - strict JSON: what is taken, what is refused and where, and what is written */
#include "io.h"

static const vdi_json *parse(vdi_arena *arena, const char *text) {
    const vdi_json *root = NULL;
    vdi_error err;
    CHECK_OK(vdi_json_parse(arena, text, strlen(text), "text", &root, &err), err);
    return root;
}

TEST(json, look_up) {
    vdi_arena arena;
    vdi_arena_init(&arena, NULL, 0);
    const vdi_json *root =
        parse(&arena, " {\"a\": [1, -2.5e1, \"x\", true, null, {}, "
                      "[]],\n\"b\":{\"c\":{\"d\":9007199254740993}}, \"\": false}\r\n");
    const vdi_json *a = vdi_json_get(root, "a");
    CHECK(root->type == VDI_JSON_OBJECT && root->count == 3 && a->count == 7);
    CHECK(vdi_json_as_integer(vdi_json_at(a, 0), 0) == 1 &&
          vdi_json_as_number(vdi_json_at(a, 1), 0) == -25);
    CHECK(!vdi_json_at(a, 1)->is_integer && vdi_json_as_integer(vdi_json_at(a, 1), 7) == 7);
    CHECK(strcmp(vdi_json_as_text(vdi_json_at(a, 2), ""), "x") == 0 &&
          vdi_json_as_bool(vdi_json_at(a, 3), false));
    CHECK(vdi_json_at(a, 4)->type == VDI_JSON_NULL && vdi_json_at(a, 7) == NULL &&
          vdi_json_at(a, -1) == NULL);
    CHECK(vdi_json_first(vdi_json_at(a, 5)) == NULL && vdi_json_first(vdi_json_at(a, 6)) == NULL);
    CHECK(vdi_json_as_integer(vdi_json_get(vdi_json_get(vdi_json_get(root, "b"), "c"), "d"), 0) ==
          9007199254740993LL);
    CHECK(vdi_json_get(vdi_json_get(root, "no"), "way") == NULL &&
          vdi_json_as_number(NULL, 3) == 3);
    CHECK(vdi_json_get(root, "")->type == VDI_JSON_BOOL &&
          !vdi_json_as_bool(vdi_json_get(root, ""), true));
    int n = 0;
    for (const vdi_json *x = vdi_json_first(root); x; x = vdi_json_next(root, x))
        n++;
    CHECK(n == 3);
    vdi_arena_free(&arena);
}

TEST(json, numbers) {
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0", 0},
                 {"-0", -0.0},
                 {"0.1", 0.1},
                 {"1e308", 1e308},
                 {"5e-324", 5e-324},
                 {"1e-400", 0},
                 {"1.7976931348623157e308", 1.7976931348623157e308},
                 {"9007199254740993", 9007199254740992.0},
                 {"2.2250738585072011e-308", 2.2250738585072011e-308},
                 {"123456789012345678901234567890", 1.2345678901234568e29},
                 {"1E+2", 100},
                 {"0e0", 0},
                 {"9223372036854775807", 9223372036854775807.0},
                 {"-9223372036854775808", -9223372036854775808.0}};
    vdi_arena arena;
    vdi_arena_init(&arena, NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double x = vdi_json_as_number(parse(&arena, cases[i].text), NAN);
        CHECK(x == cases[i].value && !signbit(x) == !signbit(cases[i].value), "%s is %.17g",
              cases[i].text, x);
    }
    CHECK(vdi_json_as_integer(parse(&arena, "9223372036854775807"), 0) == INT64_MAX);
    CHECK(vdi_json_as_integer(parse(&arena, "-9223372036854775808"), 0) == INT64_MIN);
    CHECK(vdi_json_as_integer(parse(&arena, "9223372036854775808"), 5) == 5, "beyond int64");
    vdi_arena_free(&arena);
}

TEST(json, unicode) {
    vdi_arena arena;
    vdi_arena_init(&arena, NULL, 0);
    const vdi_json *x =
        parse(&arena, "\"\\u00e9\\u20AC\\ud834\\udd1e \xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E "
                      "\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000!\"");
    const char want[] = "\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E \xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E "
                        "\"\\/\b\f\n\r\t\0!";
    CHECK(x && x->v.length == (int64_t)sizeof want - 1 &&
          memcmp(x->u.text, want, sizeof want) == 0);
    vdi_arena_free(&arena);
}

TEST(json, refused) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "line 1, column 1: expected a value, found the end"},
        {" \n ", "line 2, column 2: expected a value, found the end"},
        {"[1,]", "line 1, column 4: expected a value, found ']'"},
        {"[1 2]", "expected ',' or ']', found '2'"},
        {"{\"a\":1,}", "expected a key in quotes, found '}'"},
        {"{a:1}", "expected a key in quotes, found 'a'"},
        {"{\"a\" 1}", "expected ':'"},
        {"{\"a\":1\n\"b\":2}", "line 2, column 1: expected ',' or '}'"},
        {"[1", "found the end"},
        {"1 2", "text follows"},
        {"01", "text follows"},
        {"+1", "expected a value"},
        {".5", "expected a value"},
        {"1.", "after its point"},
        {"1e", "exponent"},
        {"-", "expected a value"},
        {"1e999", "range of a double"},
        {"NaN", "expected a value"},
        {"Infinity", "expected a value"},
        {"tru", "expected a value"},
        {"'a'", "expected a value"},
        {"\"a", "has no end"},
        {"\"a\nb\"", "control character"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\u12g4\"", "unknown escape"},
        {"\"\\ud834\"", "surrogate"},
        {"\"\\udd1e\"", "surrogate"},
        {"\"\\ud834\\u0041\"", "surrogate"},
        {"\"\xC0\x80\"", "UTF-8, found byte c0"},
        {"\"\xED\xA0\x80\"", "UTF-8"},
        {"\"\xF4\x90\x80\x80\"", "UTF-8"},
        {"\"\xE2\x82\"", "UTF-8"},
        {"\xEF\xBB\xBF{}", "expected a value, found byte ef"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "key twice"},
        {"{\"a\":1,\"\\u0061\":3}", "key twice"},
        {"// no\n1", "expected a value"},
    };
    vdi_arena arena;
    vdi_error err;
    const vdi_json *root;
    vdi_arena_init(&arena, NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_FAILS(
            vdi_json_parse(&arena, cases[i].text, strlen(cases[i].text), "t.json", &root, &err),
            VDI_ERR_FORMAT);
        CHECK_SAYS(err, cases[i].says);
        CHECK_SAYS(err, ", in t.json");
        CHECK(root == NULL && arena.used == 0);
    }
    char deep[2 * 100000];
    for (int depth = 63; depth < 100000; depth = depth < 66 ? depth + 1 : depth * 10) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        vdi_status status = vdi_json_parse(&arena, deep, 2 * (size_t)depth, NULL, &root, &err);
        CHECK(status == (depth <= VDI_JSON_DEPTH ? VDI_OK : VDI_ERR_FORMAT), "depth %d", depth);
    }
    vdi_arena_free(&arena);
}

/* Every prefix and many flips of a text, with every allocation failing in turn. */
TEST(json, damage) {
    const char *text = "{\"a\":[1,2.5,\"\xC3\xA9\\n\\ud834\\udd1e\",true,null],\"b\":{\"c\":{},"
                       "\"d\":[[]]},\"e\":-1e-5}";
    size_t n = strlen(text);
    vdi_error err;
    const vdi_json *root;
    unsigned long long seed = 9;
    char copy[128];
    vdi_arena arena;
    vdi_arena_init(&arena, NULL, 0);
    for (size_t k = 0; k < n; k++) {
        char *exact = (char *)malloc(k + 1); /* so that a read behind the end is seen */
        memcpy(exact, text, k);
        CHECK(vdi_json_parse(&arena, exact, k, NULL, &root, &err) == VDI_ERR_FORMAT, "cut at %zu",
              k);
        free(exact);
    }
    for (int i = 0; i < (int)test_scaled(30000); i++) {
        memcpy(copy, text, n);
        for (int k = 0; k <= i % 3; k++) {
            copy[(size_t)(test_uniform(&seed) * (double)n)] ^=
                (char)(1 << (int)(8 * test_uniform(&seed)));
        }
        vdi_arena_reset(&arena);
        CHECK((vdi_json_parse(&arena, copy, n, NULL, &root, &err) == VDI_OK) == (root != NULL));
    }
    vdi_arena_free(&arena);
    for (long fail = 1;; fail++) {
        test_allocator counter = {0, fail, 0, 1};
        vdi_allocator a = test_allocator_of(&counter);
        slow_stream s;
        vdi_reader r = slow_reader(&s, text, n, 10);
        vdi_arena_init(&arena, &a, 64);
        vdi_status status = vdi_json_read(&r, &arena, &root, &err);
        vdi_arena_free(&arena);
        CHECK(counter.live == 0);
        if (counter.requests < fail) {
            CHECK_OK(status, err);
            break;
        }
        CHECK(status == VDI_ERR_MEMORY);
    }
}

static vdi_buffer out;
static vdi_writer writer;
static vdi_json_writer start(bool pretty) {
    vdi_json_writer j;
    vdi_buffer_init(&out, NULL);
    vdi_writer_to_buffer(&writer, &out);
    vdi_json_begin(&j, &writer, pretty);
    return j;
}
static void ends_as(vdi_json_writer *j, const char *want) {
    vdi_error err;
    CHECK_OK(vdi_json_end(j, &err), err);
    CHECK(out.size == strlen(want) && memcmp(out.data, want, out.size) == 0, "%.*s is not %s",
          (int)out.size, out.data, want);
    vdi_buffer_free(&out);
}

static void write_example(vdi_json_writer *j) {
    float x[4] = {0.1f, -2, NAN, 3e20f};
    int64_t big[2] = {INT64_MAX, INT64_MIN};
    vdi_json_open(j, NULL, '{');
    vdi_json_put_number(j, "x", 0.1);
    vdi_json_put_number(j, "nan", NAN);
    vdi_json_put_number(j, "inf", -INFINITY);
    vdi_json_put_integer(j, "i", INT64_MIN);
    vdi_json_open(j, "list", '[');
    vdi_json_put_bool(j, NULL, true);
    vdi_json_put_text(j, NULL, NULL);
    vdi_json_open(j, NULL, '{');
    vdi_json_close(j);
    vdi_json_close(j);
    vdi_json_put_tensor(j, "t", vdi_tensor_transpose(vdi_tensor_2d(x, VDI_F32, 2, 2)));
    vdi_json_put_tensor(j, "big", vdi_tensor_1d(big, VDI_I64, 2));
    vdi_json_put_text(j, "k\"ey", "\"\\\n\t\x01\x1f</script> \xC3\xA9 \xFF");
    vdi_json_close(j);
}

TEST(json, written) {
    vdi_json_writer j = start(false);
    write_example(&j);
    ends_as(&j, "{\"x\":0.1,\"nan\":null,\"inf\":null,\"i\":-9223372036854775808,\"list\":[true,"
                "null,{}],\"t\":[[0.1,null],[-2,3e+20]],"
                "\"big\":[9223372036854775807,-9223372036854775808],\"k\\\"ey\":"
                "\"\\\"\\\\\\n\\t\\u0001\\u001f\\u003c/script> \xC3\xA9 "
                "\xEF\xBF\xBD\"}\n");
    j = start(true);
    write_example(&j);
    vdi_error err;
    CHECK_OK(vdi_json_end(&j, &err), err);
    CHECK(strstr(out.data, "{\n  \"x\": 0.1,\n  \"nan\": null,") == out.data);
    vdi_arena arena; /* and it is what its own parser takes */
    const vdi_json *root;
    vdi_arena_init(&arena, NULL, 0);
    CHECK_OK(vdi_json_parse(&arena, out.data, out.size, NULL, &root, &err), err);
    CHECK(root->count == 8 && vdi_json_as_number(vdi_json_get(root, "x"), 0) == (double)0.1);
    vdi_arena_free(&arena);
    vdi_buffer_free(&out);
    j = start(false);
    vdi_json_put_number(&j, NULL, 2);
    ends_as(&j, "2\n");
}

TEST(json, misused) {
    vdi_error err;
    for (int i = 0; i < 7; i++) {
        vdi_json_writer j = start(false);
        if (i != 6) vdi_json_open(&j, NULL, i == 5 ? '(' : '{');
        if (i == 0) vdi_json_put_number(&j, NULL, 1); /* no key */
        if (i == 1) {
            vdi_json_close(&j);
            vdi_json_close(&j);
        }
        if (i == 3) { /* a second value */
            vdi_json_close(&j);
            vdi_json_put_number(&j, NULL, 1);
        }
        if (i == 4) {
            vdi_json_open(&j, "a", '[');
            vdi_json_put_number(&j, "k", 1);
            vdi_json_close(&j);
        }
        if (i == 0 || i == 4) vdi_json_close(&j);
        CHECK_FAILS(vdi_json_end(&j, &err), VDI_ERR_STATE);
        vdi_buffer_free(&out);
    }
    size_t capacity = 10;
    vdi_json_writer j;
    vdi_writer_init(&writer, full_write, &capacity, "disk");
    vdi_json_begin(&j, &writer, false);
    vdi_json_put_text(&j, NULL, "longer than the disk has space for");
    CHECK_FAILS(vdi_json_end(&j, &err), VDI_ERR_IO);
}
