/* tests/mat.c - MATLAB files: of SciPy, composed here in either byte order, and those that lie */
#include "io.h"
#include "mat_bytes.h"

/* ---- what SciPy wrote ---- */

typedef struct expected {
    const char *name;
    vdi_dtype dtype;
    int ndim;
    int64_t shape[3];
    double values[12];
} expected;

static void check_variable(vdi_mat *mat, const expected *e) {
    vdi_tensor t;
    vdi_error err;
    CHECK_OK(vdi_mat_get(mat, e->name, NULL, &t, &err), err);
    CHECK(t.dtype == e->dtype && t.ndim == e->ndim, "%s is %s of %d axes", e->name,
          vdi_dtype_name(t.dtype), t.ndim);
    for (int k = 0; k < t.ndim; k++)
        CHECK(t.shape[k] == e->shape[k], "%s: axis %d is %lld", e->name, k, (long long)t.shape[k]);
    for (int64_t i = 0; i < vdi_tensor_count(t); i++) {
        const double x = vdi_dtype_load(t.dtype, t.data, i);
        CHECK(x == e->values[i], "%s[%lld] is %g", e->name, (long long)i, x);
    }
    vdi_tensor_free(NULL, &t);
}

TEST(mat, numbers_of_scipy) {
    static const expected all[] = {
        {"a", VDI_F64, 2, {2, 3}, {0, 0.25, 0.5, 0.75, 1, 1.25}},
        {"f", VDI_F32, 2, {1, 2}, {0.5, -2}},
        {"u", VDI_U8, 2, {2, 2}, {0, 255, 7, 9}},
        {"i1", VDI_I16, 2, {1, 2}, {-128, 127}},
        {"i2", VDI_I16, 2, {1, 1}, {-300}},
        {"u2", VDI_I32, 2, {1, 1}, {65535}},
        {"i4", VDI_I32, 2, {1, 1}, {-70000}},
        {"u4", VDI_I64, 2, {1, 1}, {4e9}},
        {"i8", VDI_I64, 2, {1, 1}, {-1099511627776.0}},
        {"u8", VDI_I64, 2, {1, 1}, {1099511627776.0}},
        {"flag", VDI_BOOL, 2, {1, 3}, {1, 0, 1}},
        {"cube", VDI_I16, 3, {2, 3, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
        {"none", VDI_F64, 2, {0, 3}, {0}},
    };
    for (int slow = 0; slow < 2; slow++) {
        slow_stream s;
        vdi_mat mat;
        vdi_tensor t;
        vdi_error err;
        const vdi_reader memory = vdi_reader_memory(mat_numbers, sizeof mat_numbers, "n.mat");
        const vdi_reader stream = slow_reader(&s, mat_numbers, sizeof mat_numbers, 7);
        CHECK_OK(vdi_mat_open(&mat, slow ? stream : memory, NULL, &err), err);
        CHECK(mat.count == 14, "%lld variables", (long long)mat.count);
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            check_variable(&mat, &all[i]);
        CHECK_FAILS(vdi_mat_get(&mat, "huge", NULL, &t, &err), VDI_ERR_UNSUPPORTED);
        CHECK_SAYS(err, "9223372036854775808, which int64 does not hold");
        CHECK_FAILS(vdi_mat_get(&mat, "b", NULL, &t, &err), VDI_ERR_ARGUMENT);
        CHECK_SAYS(err, "no array 'b'; there are: a f u");
        CHECK(!t.data);
        vdi_mat_close(&mat);
    }
}

TEST(mat, files) {
    static const expected x = {"x", VDI_F64, 2, {2, 2}, {1.5, 2.5, 3.5, 4.5}};
    static const expected counts = {"counts", VDI_U8, 2, {1, 3}, {3, 1, 4}};
    const char *path = scratch_path("two.mat");
    vdi_mat mat;
    vdi_error err;
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(mat_two, 1, sizeof mat_two, f) == sizeof mat_two && fclose(f) == 0);
    CHECK_OK(vdi_mat_open_file(&mat, path, NULL, &err), err);
    CHECK(mat.count == 2 && strcmp(mat.name[0], "x") == 0);
    check_variable(&mat, &counts); /* in any order */
    check_variable(&mat, &x);
    check_variable(&mat, &counts);
    vdi_mat_close(&mat);
    vdi_mat_close(&mat);
    CHECK_FAILS(vdi_mat_open_file(&mat, scratch_path("no.mat"), NULL, &err), VDI_ERR_IO);
    vdi_mat_close(&mat);
    remove(path);
}

TEST(mat, what_is_no_array_of_numbers) {
    static const char *const says[6][2] = {
        {"z", "z is complex: save real(x) and imag(x)"},
        {"sparse", "sparse is a sparse array: save full(x)"},
        {"cell", "cell is a cell array"},
        {"struct", "struct is a structure: save its fields with save -struct"},
        {"text", "text is text, expected numbers"},
        {"deep", "deep is of more axes than a tensor has (6)"},
    };
    vdi_mat mat;
    vdi_tensor t;
    vdi_error err;
    CHECK_OK(vdi_mat_open(&mat, vdi_reader_memory(mat_kinds, sizeof mat_kinds, "k"), NULL, &err),
             err);
    CHECK(mat.count == 6);
    for (int i = 0; i < 6; i++) {
        CHECK_FAILS(vdi_mat_get(&mat, says[i][0], NULL, &t, &err), VDI_ERR_UNSUPPORTED);
        CHECK_SAYS(err, says[i][1]);
    }
    vdi_mat_close(&mat);
}

/* ---- what is composed here ---- */

typedef struct composer {
    unsigned char data[2048];
    size_t size, matrix; /* where the open matrix begins */
    int big;
} composer;

static void put(composer *c, unsigned long long x, int bytes) {
    for (int i = 0; i < bytes; i++)
        c->data[c->size++] = (unsigned char)(x >> 8 * (c->big ? bytes - 1 - i : i));
}

static void tag(composer *c, unsigned type, unsigned bytes) {
    put(c, type, 4);
    put(c, bytes, 4);
}

static void fill(composer *c) {
    while (c->size % 8)
        c->data[c->size++] = 0;
}

static void begin(composer *c, int big) {
    memset(c, 0, sizeof *c);
    memset(c->data, ' ', 124);
    memcpy(c->data, "MATLAB 5.0 MAT-file", 19);
    c->big = big;
    c->size = 124;
    put(c, 0x0100, 2);
    put(c, 'M' << 8 | 'I', 2);
}

static void open_matrix(composer *c, unsigned class_and_flags, int rows, int cols,
                        const char *name) {
    tag(c, 14, 0);
    c->matrix = c->size;
    tag(c, 6, 8);
    put(c, class_and_flags, 4);
    put(c, 0, 4);
    tag(c, 5, 8);
    put(c, (unsigned)rows, 4);
    put(c, (unsigned)cols, 4);
    tag(c, 1, (unsigned)strlen(name));
    memcpy(c->data + c->size, name, strlen(name));
    c->size += strlen(name);
    fill(c);
}

static void close_matrix(composer *c) {
    fill(c);
    const size_t end = c->size;
    c->size = c->matrix - 4;
    put(c, (unsigned)(end - c->matrix), 4);
    c->size = end;
}

static vdi_status open_composed(vdi_mat *mat, const composer *c, vdi_error *err) {
    return vdi_mat_open(mat, vdi_reader_memory(c->data, c->size, "composed"), NULL, err);
}

/* MATLAB stores an array in the narrowest type that holds its values, and short data in the tag. */
TEST(mat, narrowed_in_either_byte_order) {
    static const expected all[] = {
        {"small", VDI_F64, 2, {1, 3}, {7, 8, 250}}, {"short", VDI_F64, 2, {2, 2}, {1, -3, -2, 4}},
        {"single", VDI_F32, 2, {1, 2}, {-1, 300}},  {"wide", VDI_I32, 2, {1, 1}, {-5}},
        {"flags", VDI_BOOL, 2, {1, 2}, {1, 0}},
    };
    static const short columns[4] = {1, -2, -3, 4};
    for (int big = 0; big < 2; big++) {
        composer c;
        vdi_mat mat;
        vdi_error err;
        begin(&c, big);
        open_matrix(&c, 6, 1, 3, "small"); /* doubles as bytes, in the tag */
        put(&c, 3u << 16 | 2u, 4);
        c.data[c.size++] = 7;
        c.data[c.size++] = 8;
        c.data[c.size++] = 250;
        close_matrix(&c);
        tag(&c, 77, 8); /* an element of a later version */
        put(&c, 0, 8);
        open_matrix(&c, 6, 2, 2, "short"); /* doubles as int16 */
        tag(&c, 3, 8);
        for (int i = 0; i < 4; i++)
            put(&c, (unsigned short)columns[i], 2);
        close_matrix(&c);
        open_matrix(&c, 7, 1, 2, "single"); /* single as int32 */
        tag(&c, 5, 8);
        put(&c, (unsigned)-1, 4);
        put(&c, 300, 4);
        close_matrix(&c);
        open_matrix(&c, 12, 1, 1, "wide"); /* int32 as int8 */
        tag(&c, 1, 1);
        put(&c, 0xFB, 1);
        close_matrix(&c);
        open_matrix(&c, 9, 1, 1, ""); /* MATLAB's own */
        tag(&c, 2, 1);
        put(&c, 1, 1);
        close_matrix(&c);
        open_matrix(&c, 0x209, 1, 2, "flags");
        tag(&c, 2, 2);
        put(&c, 1, 1);
        put(&c, 0, 1);
        close_matrix(&c);
        CHECK_OK(open_composed(&mat, &c, &err), err);
        CHECK(mat.count == 5, "%lld variables", (long long)mat.count);
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            check_variable(&mat, &all[i]);
        vdi_mat_close(&mat);
    }
}

/* ---- damage ---- */

/* Reads all variables that are numbers; the worst status, and how many variables there are. */
static vdi_status read_all(const void *data, size_t size, const vdi_allocator *a, int64_t *count,
                           vdi_error *err) {
    vdi_mat mat;
    vdi_status status = vdi_mat_open(&mat, vdi_reader_memory(data, size, "m"), a, err);
    *count = mat.count;
    for (int64_t i = 0; status >= 0 && i < mat.count; i++) {
        vdi_tensor t;
        status = vdi_mat_get(&mat, mat.name[i], a, &t, err);
        if (status == VDI_OK) vdi_tensor_free(a, &t);
        if (status == VDI_ERR_UNSUPPORTED) status = VDI_OK;
    }
    vdi_mat_close(&mat);
    return status;
}

typedef struct mat_file {
    const unsigned char *data;
    size_t size;
    int64_t count;
} mat_file;
static const mat_file files[3] = {{mat_two, sizeof mat_two, 2},
                                  {mat_numbers, sizeof mat_numbers, 14},
                                  {mat_kinds, sizeof mat_kinds, 6}};

TEST(mat, cut_and_flipped) {
    unsigned long long seed = 5;
    for (int f = 0; f < 3; f++) {
        unsigned char *copy = (unsigned char *)malloc(files[f].size);
        int64_t count;
        vdi_error err;
        for (size_t n = 0; n < files[f].size; n++) { /* a file may end behind a variable */
            const vdi_status status = read_all(files[f].data, n, NULL, &count, &err);
            CHECK(status < 0 || (n >= 128 && count < files[f].count), "file %d cut at %zu", f, n);
        }
        for (int i = 0; i < (int)test_scaled(8000); i++) {
            memcpy(copy, files[f].data, files[f].size);
            for (int k = 0; k <= i % 4; k++) {
                copy[(size_t)(test_uniform(&seed) * (double)files[f].size)] ^=
                    (unsigned char)(1 << (int)(8 * test_uniform(&seed)));
            }
            err.message[0] = 0;
            CHECK(read_all(copy, files[f].size, NULL, &count, &err) == VDI_OK || err.message[0],
                  "flip %d of file %d", i, f);
        }
        free(copy);
    }
}

/* What the first variable of mat_numbers, "a", is after some damage. */
static vdi_status read_first(const unsigned char *data, size_t size, double *values,
                             vdi_error *err) {
    vdi_mat mat;
    vdi_tensor t;
    vdi_status status = vdi_mat_open(&mat, vdi_reader_memory(data, size, "m"), NULL, err);
    if (status >= 0) status = vdi_mat_get(&mat, "a", NULL, &t, err);
    if (status >= 0) {
        for (int i = 0; i < 6; i++)
            values[i] = i < vdi_tensor_count(t) ? vdi_dtype_load(t.dtype, t.data, i) : -1;
        vdi_tensor_free(NULL, &t);
    }
    vdi_mat_close(&mat);
    return status;
}

/* Any flip in packed numbers is found, if only by their checksum; but for the few bits between the
 * last code and the checksum, which mean nothing. */
TEST(mat, damage_to_packed_data) {
    unsigned char copy[sizeof mat_numbers];
    vdi_error err;
    int64_t count;
    int unnoticed = 0;
    const size_t size = mat_numbers[132] + 256u * mat_numbers[133]; /* of the first variable */
    memcpy(copy, mat_numbers, sizeof copy);
    CHECK(mat_numbers[128] == 15 && size > 40 && 136 + size < sizeof copy);
    for (size_t at = 136; at < 136 + size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            copy[at] ^= (unsigned char)(1 << bit);
            double x[6];
            bool found = read_first(copy, sizeof copy, x, &err) < 0;
            for (int i = 0; i < 6 && !found; i++)
                CHECK(x[i] == 0.25 * i, "byte %zu, bit %d: %g", at, bit, x[i]);
            unnoticed += !found;
            copy[at] ^= (unsigned char)(1 << bit);
        }
    }
    CHECK(unnoticed < 8, "%d flips were not noticed", unnoticed);
    copy[136 + size - 1] ^= 1;
    CHECK_FAILS(read_all(copy, sizeof copy, NULL, &count, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "a damaged variable: ");
    CHECK_SAYS(err, "Adler-32");
}

TEST(mat, files_that_lie) {
    typedef struct lie {
        int at;
        unsigned value;
        const char *says;
        vdi_status status;
    } lie;
    static const lie cases[] = {
        {124, 0x4D490200, "HDF5", VDI_ERR_UNSUPPORTED},
        {124, 0x4D490300, "its version is unknown", VDI_ERR_FORMAT},
        {124, 0x4D4A0100, "none of versions 5 to 7", VDI_ERR_FORMAT},
        {132, 5000, "an element is longer than the file", VDI_ERR_FORMAT},
        {132, 0xFFFFFFF8u, "an element is longer than the file", VDI_ERR_FORMAT},
        {132, 20, "cut short", VDI_ERR_FORMAT},
        {136, 7, "the head of a variable is damaged", VDI_ERR_FORMAT},
        {140, 4, "a variable has no class", VDI_ERR_FORMAT},
        {140, 400, "the head of a variable is damaged", VDI_ERR_FORMAT},
        {144, 200, "of an unknown kind", VDI_ERR_UNSUPPORTED},
        {156, 0, "a variable has no shape", VDI_ERR_FORMAT},
        {156, 6, "a variable has no shape", VDI_ERR_FORMAT},
        {156, 2000, "damaged", VDI_ERR_FORMAT},
        {160, 0x80000000u, "an extent is negative", VDI_ERR_FORMAT},
        {160, 0x7FFFFFFF, "contradict each other", VDI_ERR_FORMAT},
        {160, 3, "its shape and its 32 bytes of data contradict each other", VDI_ERR_FORMAT},
        {168, 0x00050001, "a small element is not small", VDI_ERR_FORMAT},
        {172, 0, "a name holds a NUL", VDI_ERR_FORMAT},
        {176, 14, "contradict each other", VDI_ERR_FORMAT},
        {176, 0, "contradict each other", VDI_ERR_FORMAT},
        {180, 40, "contradict each other", VDI_ERR_FORMAT},
    };
    greedy_allocator greedy;
    vdi_allocator a = greedy_allocator_of(&greedy);
    unsigned char copy[sizeof mat_two];
    int64_t count;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vdi_mat mat;
        vdi_tensor t;
        vdi_error err;
        memcpy(copy, mat_two, sizeof copy);
        for (int k = 0; k < 4; k++)
            copy[cases[i].at + k] = (unsigned char)(cases[i].value >> 8 * k);
        vdi_status status = vdi_mat_open(&mat, vdi_reader_memory(copy, sizeof copy, "l"), &a, &err);
        if (status >= 0) status = vdi_mat_get(&mat, "x", &a, &t, &err);
        CHECK(status == cases[i].status, "case %zu gave %s", i, vdi_status_name(status));
        CHECK_SAYS(err, cases[i].says);
        vdi_mat_close(&mat);
    }
    CHECK(greedy.largest < 10000, "no lie costs memory: %zu bytes", greedy.largest);
    vdi_error err;
    CHECK_OK(read_all(mat_two, sizeof mat_two, &a, &count, &err), err);
}

TEST(mat, no_memory) {
    for (int f = 0; f < 2; f++) {
        for (long fail = 1;; fail++) {
            test_allocator counter = {0, fail, 0, fail & 1};
            vdi_allocator a = test_allocator_of(&counter);
            vdi_error err;
            int64_t count;
            const vdi_status status = read_all(files[f].data, files[f].size, &a, &count, &err);
            CHECK(counter.live == 0, "request %ld: %ld blocks are left", fail, counter.live);
            if (counter.requests < fail) {
                CHECK_OK(status, err);
                break;
            }
            CHECK(status == VDI_ERR_MEMORY, "request %ld: %s", fail, vdi_status_name(status));
        }
    }
}
