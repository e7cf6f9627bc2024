/* tests/array.c - arrays from files of any format: by extension, by first bytes, by name */
#include "io.h"
#include "mat_bytes.h"

/* A scratch file of that content; its path, with ":name" behind it unless that is NULL. */
static const char *with_name(const char *path, const char *name) {
    static char text[600];
    snprintf(text, sizeof text, "%s%s%s", path, name ? ":" : "", name ? name : "");
    return text;
}

static void save_bytes(const char *path, const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, "%s", path);
}

/* The same 2 x 2 numbers in every format; "b", where there is room for it, is another array. */
static void save_as(const char *path, const char *format, int64_t count) {
    double x[4] = {1.5, 2.5, 3.5, 4.5}, y[2] = {-1, -2};
    vdi_error err;
    vdi_named_tensor t[2];
    vdi_state state = {t, count, NULL, 0};
    t[0].name = "a:1";
    t[0].tensor = vdi_tensor_2d(x, VDI_F64, 2, 2);
    t[1].name = "b";
    t[1].tensor = vdi_tensor_1d(y, VDI_F64, 2);
    if (strcmp(format, "npy") == 0) CHECK_OK(vdi_npy_save(path, t[0].tensor, &err), err);
    if (strcmp(format, "npz") == 0) CHECK_OK(vdi_npz_save(path, t, count, &err), err);
    if (strcmp(format, "safetensors") == 0) CHECK_OK(vdi_safetensors_save(path, &state, &err), err);
    if (strcmp(format, "csv") == 0) save_bytes(path, "p,q\n1.5,2.5\n3.5,4.5\n", 20);
    if (strcmp(format, "tsv") == 0) save_bytes(path, "1.5\t2.5\n3.5\t4.5\n", 16);
    if (strcmp(format, "txt") == 0) save_bytes(path, "# x\n1.5 2.5\n3.5 4.5\n", 20);
    if (strcmp(format, "mat") == 0) save_bytes(path, mat_two, count == 1 ? 216 : sizeof mat_two);
}

static void check_loaded(const char *path) {
    vdi_tensor t;
    vdi_error err;
    CHECK_OK(vdi_array_load(path, NULL, &t, &err), err);
    CHECK(t.dtype == VDI_F64 && t.ndim == 2 && t.shape[0] == 2 && t.shape[1] == 2, "%s", path);
    for (int i = 0; i < 4; i++)
        CHECK(((const double *)t.data)[i] == 1.5 + i, "%s: %g", path, ((const double *)t.data)[i]);
    vdi_tensor_free(NULL, &t);
}

static const char *const formats[] = {"npy", "npz", "safetensors", "csv", "tsv", "txt", "mat"};
enum { FORMATS = sizeof formats / sizeof formats[0] };

TEST(array, by_extension_and_by_first_bytes) {
    for (int i = 0; i < FORMATS; i++) {
        char name[40];
        snprintf(name, sizeof name, "array.%s", formats[i]);
        for (char *c = name; i & 1 && *c; c++)
            if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
        const char *path = scratch_path(name), *bare = scratch_path("array");
        save_as(path, formats[i], 1);
        check_loaded(path);
        save_as(bare, formats[i], 1);
        check_loaded(bare);
        remove(path);
        remove(bare);
    }
}

/* The first row of a table is its header, and may look like the first bytes of an archive. */
TEST(array, the_extension_comes_first) {
    static const char *const names[] = {"wins.csv", "wins.tsv", "wins.txt", "wins.TXT"};
    static const char text[] = "PK\3\4,b\n1,2\n";
    vdi_tensor t;
    vdi_error err;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = scratch_path(names[i]);
        save_bytes(path, text, sizeof text - 1);
        CHECK_OK(vdi_array_load(path, NULL, &t, &err), err);
        CHECK(t.ndim == 2 && t.shape[0] == 1 && t.shape[1] == 2, "%s", path);
        vdi_tensor_free(NULL, &t);
        remove(path);
    }
    const char *bare = scratch_path("loses");
    save_bytes(bare, text, sizeof text - 1);
    CHECK_FAILS(vdi_array_load(bare, NULL, &t, &err), VDI_ERR_FORMAT);
    remove(bare);
}

TEST(array, by_name) {
    static const struct {
        const char *format, *first, *list;
    } cases[] = {
        {"npz", "a:1", "it holds 2 arrays (a:1 b): name one as FILE:NAME"},
        {"safetensors", "a:1", "it holds 2 arrays (a:1 b): name one as FILE:NAME"},
        {"mat", "x", "it holds 2 arrays (x counts): name one as FILE:NAME"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[40];
        vdi_tensor t;
        vdi_error err;
        snprintf(name, sizeof name, "named.%s", cases[i].format);
        const char *path = scratch_path(name);
        save_as(path, cases[i].format, 2);
        check_loaded(with_name(path, cases[i].first));
        CHECK_FAILS(vdi_array_load(path, NULL, &t, &err), VDI_ERR_ARGUMENT);
        CHECK_SAYS(err, cases[i].list);
        CHECK_FAILS(vdi_array_load(with_name(path, "c"), NULL, &t, &err), VDI_ERR_ARGUMENT);
        CHECK_SAYS(err, "no array 'c'; there are: ");
        CHECK(!t.data);
        remove(path);
    }
    const char *path = scratch_path("single.npy");
    vdi_tensor t;
    vdi_error err;
    save_as(path, "npy", 1);
    CHECK_FAILS(vdi_array_load(with_name(path, "a"), NULL, &t, &err), VDI_ERR_ARGUMENT);
    CHECK_SAYS(err, "it holds one array, without a name; asked for 'a'");
    remove(path);
}

TEST(array, from_memory) {
    vdi_reader r = vdi_reader_memory(mat_two, sizeof mat_two, "dropped");
    slow_stream s;
    vdi_tensor t;
    vdi_error err;
    CHECK_OK(vdi_array_read(&r, "counts", NULL, &t, &err), err);
    CHECK(t.dtype == VDI_U8 && t.shape[1] == 3 && ((const uint8_t *)t.data)[2] == 4);
    vdi_tensor_free(NULL, &t);
    r = slow_reader(&s, mat_two, sizeof mat_two, 100);
    CHECK_FAILS(vdi_array_read(&r, "counts", NULL, &t, &err), VDI_ERR_IO);
}

TEST(array, what_is_refused) {
    static const struct {
        const char *name, *content;
        size_t size;
        vdi_status status;
        const char *says;
    } cases[] = {
        {"a.h5", "\x89HDF\r\n\x1a\n....", 12, VDI_ERR_UNSUPPORTED,
         "h5py.File('FILE')['NAME'][()])"},
        {"a.nwb", "any", 3, VDI_ERR_UNSUPPORTED, "import h5py, numpy; numpy.save('x.npy', "},
        {"a", "\x89HDF\r\n\x1a\n....", 12, VDI_ERR_UNSUPPORTED, "an HDF5 file"},
        {"a",
         "\x7f"
         "ELF\x01\x01\x01",
         7, VDI_ERR_UNSUPPORTED, "an unknown format; expected .npy"},
        {"a.dat", "", 0, VDI_ERR_UNSUPPORTED, "an unknown format"},
        {"a.npy", "1,2\n", 4, VDI_ERR_FORMAT, "cut short"},
        {"a.npy", "1,2\n3,4\n5,6\n", 12, VDI_ERR_FORMAT, "not a .npy file"},
        {"a.npz", "1,2\n", 4, VDI_ERR_FORMAT, ""},
        {"a.csv", "1,2\n3\n", 6, VDI_ERR_FORMAT, "line 2"},
        {"a", "1,2\n3\n", 6, VDI_ERR_FORMAT, "line 2"},
    };
    vdi_tensor t;
    vdi_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = scratch_path(cases[i].name);
        save_bytes(path, cases[i].content, cases[i].size);
        const vdi_status status = vdi_array_load(path, NULL, &t, &err);
        CHECK(status == cases[i].status, "case %zu gave %s", i, vdi_status_name(status));
        CHECK_SAYS(err, cases[i].says);
        CHECK_SAYS(err, path);
        CHECK(!t.data);
        remove(path);
    }
    CHECK_FAILS(vdi_array_load(NULL, NULL, &t, &err), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_array_load("", NULL, &t, &err), VDI_ERR_IO);
    CHECK_FAILS(vdi_array_load(scratch_path("absent.npy"), NULL, &t, &err), VDI_ERR_IO);
}

/* Every row has what a help text and the loader need, and the extensions are all different. */
TEST(array, the_table) {
    int n = 0;
    while (vdi_array_format_at(n))
        n++;
    CHECK(n >= 6 && !vdi_array_format_at(-1) && !vdi_array_format_at(n + 1));
    for (int i = 0; i < n; i++) {
        const vdi_array_format *f = vdi_array_format_at(i);
        CHECK(f->name && f->extensions[0] == '.' && f->begins && f->read, "row %d", i);
        CHECK(!f->begins((const uint8_t *)"", 0), "row %d takes an empty file", i);
        for (int k = 0; k < i; k++)
            CHECK(!strstr(f->extensions, vdi_array_format_at(k)->extensions), "%d and %d", i, k);
    }
}

TEST(array, no_memory) {
    for (int i = 0; i < FORMATS; i++) {
        char name[40];
        snprintf(name, sizeof name, "poor.%s", formats[i]);
        const char *path = scratch_path(name);
        save_as(path, formats[i], 1);
        for (long fail = 1;; fail++) {
            test_allocator counter = {0, fail, 0, fail & 1};
            vdi_allocator a = test_allocator_of(&counter);
            vdi_tensor t;
            vdi_error err;
            const vdi_status status = vdi_array_load(path, &a, &t, &err);
            if (status == VDI_OK) vdi_tensor_free(&a, &t);
            CHECK(counter.live == 0, "%s, request %ld: %ld left", name, fail, counter.live);
            if (counter.requests < fail) {
                CHECK_OK(status, err);
                break;
            }
            CHECK(status == VDI_ERR_MEMORY, "%s: %s", name, vdi_status_name(status));
        }
        remove(path);
    }
}

/* A file written and read by hand. */
TEST(array, files_by_hand) {
    const char *path = scratch_path("hand.bin");
    vdi_writer w;
    vdi_reader r;
    vdi_error err;
    char got[12] = "";
    CHECK_OK(vdi_writer_open(&w, path, &err), err);
    vdi_write(&w, "seven", 5);
    vdi_write(&w, "ty", 2);
    CHECK_OK(vdi_writer_close(&w, &err), err);
    CHECK_OK(vdi_reader_open(&r, path, &err), err);
    CHECK(vdi_read(&r, got, 5) == 5 && memcmp(got, "seven", 5) == 0, "%s", got);
    CHECK(vdi_read(&r, got, sizeof got) == 2 && memcmp(got, "ty", 2) == 0, "the rest, and its end");
    vdi_reader_close(&r);
    remove(path);
    CHECK_FAILS(vdi_reader_open(&r, path, &err), VDI_ERR_IO);
    CHECK(strstr(err.message, "hand.bin"), "%s", err.message);
    CHECK_FAILS(vdi_writer_open(&w, "no/such/folder/hand.bin", &err), VDI_ERR_IO);
}
