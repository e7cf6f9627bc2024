/* tests/npy.c - one array per file: every dtype and shape, NumPy's own bytes, damage of every
 * kind */
#include "io.h"

/* Made by NumPy 1.24; the comment is the expression. */
static const unsigned char c_f8[] =
    {/* np.arange(6.).reshape(2, 3) / 2 */
     147, 78, 85,  77, 80, 89, 1,   0,   118, 0,   123, 39,  100, 101, 115, 99,  114, 39,  58,  32,
     39,  60, 102, 56, 39, 44, 32,  39,  102, 111, 114, 116, 114, 97,  110, 95,  111, 114, 100, 101,
     114, 39, 58,  32, 70, 97, 108, 115, 101, 44,  32,  39,  115, 104, 97,  112, 101, 39,  58,  32,
     40,  50, 44,  32, 51, 41, 44,  32,  125, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32, 32,  32, 32, 32, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32, 32,  32, 32, 32, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32, 32,  32, 32, 32, 32,  10,  0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
     0,   0,  224, 63, 0,  0,  0,   0,   0,   0,   240, 63,  0,   0,   0,   0,   0,   0,   248, 63,
     0,   0,  0,   0,  0,  0,  0,   64,  0,   0,   0,   0,   0,   0,   4,   64};

static const unsigned char fortran_big_f4[] =
    {/* np.asfortranarray(np.arange(6,
        dtype='>f4').reshape(2, 3)) */
     147, 78,  85,  77,  80,  89, 1,  0,   118, 0,   123, 39,  100, 101, 115, 99,  114, 39,  58,
     32,  39,  62,  102, 52,  39, 44, 32,  39,  102, 111, 114, 116, 114, 97,  110, 95,  111, 114,
     100, 101, 114, 39,  58,  32, 84, 114, 117, 101, 44,  32,  39,  115, 104, 97,  112, 101, 39,
     58,  32,  40,  50,  44,  32, 51, 41,  44,  32,  125, 32,  32,  32,  32,  32,  32,  32,  32,
     32,  32,  32,  32,  32,  32, 32, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32,  32,  32,  32,  32, 32, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32,  32,  32,  32,  32, 32, 32,  32,  32,  32,  32,  32,  10,  0,   0,   0,   0,   64,
     64,  0,   0,   63,  128, 0,  0,  64,  128, 0,   0,   64,  0,   0,   0,   64,  160, 0,   0};

static const unsigned char u2[] = {/* np.array([0, 1, 65535], '<u2') */
                                   147, 78,  85,  77,  80,  89,  1,   0,   118, 0,   123, 39,  100,
                                   101, 115, 99,  114, 39,  58,  32,  39,  60,  117, 50,  39,  44,
                                   32,  39,  102, 111, 114, 116, 114, 97,  110, 95,  111, 114, 100,
                                   101, 114, 39,  58,  32,  70,  97,  108, 115, 101, 44,  32,  39,
                                   115, 104, 97,  112, 101, 39,  58,  32,  40,  51,  44,  41,  44,
                                   32,  125, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  10,  0,   0,
                                   1,   0,   255, 255};

static const unsigned char i1[] = {/* np.array([-128, -1, 127], 'i1') */
                                   147, 78,  85,  77,  80,  89,  1,   0,   118, 0,   123, 39,
                                   100, 101, 115, 99,  114, 39,  58,  32,  39,  124, 105, 49,
                                   39,  44,  32,  39,  102, 111, 114, 116, 114, 97,  110, 95,
                                   111, 114, 100, 101, 114, 39,  58,  32,  70,  97,  108, 115,
                                   101, 44,  32,  39,  115, 104, 97,  112, 101, 39,  58,  32,
                                   40,  51,  44,  41,  44,  32,  125, 32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  10,  128, 255, 127};

static const unsigned char u4_big[] =
    {/* np.array([[1], [4294967295]], '>u4') */
     147, 78, 85,  77, 80, 89, 1,   0,   118, 0,   123, 39,  100, 101, 115, 99,  114, 39,  58,  32,
     39,  62, 117, 52, 39, 44, 32,  39,  102, 111, 114, 116, 114, 97,  110, 95,  111, 114, 100, 101,
     114, 39, 58,  32, 70, 97, 108, 115, 101, 44,  32,  39,  115, 104, 97,  112, 101, 39,  58,  32,
     40,  50, 44,  32, 49, 41, 44,  32,  125, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32, 32,  32, 32, 32, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32, 32,  32, 32, 32, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32, 32,  32, 32, 32, 32,  10,  0,   0,   0,   1,   255, 255, 255, 255};

static const unsigned char f2[] = {/* np.array([1.5, -0.0, 6e-8, 65504, np.inf, np.nan], '<f2') */
                                   147, 78,  85,  77,  80,  89,  1,   0,   118, 0,   123, 39,  100,
                                   101, 115, 99,  114, 39,  58,  32,  39,  60,  102, 50,  39,  44,
                                   32,  39,  102, 111, 114, 116, 114, 97,  110, 95,  111, 114, 100,
                                   101, 114, 39,  58,  32,  70,  97,  108, 115, 101, 44,  32,  39,
                                   115, 104, 97,  112, 101, 39,  58,  32,  40,  54,  44,  41,  44,
                                   32,  125, 32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
                                   32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  10,  0,   62,
                                   0,   128, 1,   0,   255, 123, 0,   124, 0,   126};

static const unsigned char scalar_v2[] =
    {/* np.array(-7), format 2.0 */
     147, 78,  85,  77,  80,  89,  2,   0,   116, 0,   0,   0,   123, 39,  100, 101, 115,
     99,  114, 39,  58,  32,  39,  60,  105, 56,  39,  44,  32,  39,  102, 111, 114, 116,
     114, 97,  110, 95,  111, 114, 100, 101, 114, 39,  58,  32,  70,  97,  108, 115, 101,
     44,  32,  39,  115, 104, 97,  112, 101, 39,  58,  32,  40,  41,  44,  32,  125, 32,
     32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32,  32,  32,  32,  32,  32,  32,  10,  249, 255, 255, 255, 255, 255, 255, 255};

static const unsigned char empty_bool[] =
    {/* np.zeros((0, 3), bool), format 3.0 */
     147, 78,  85,  77,  80,  89, 3,  0,  116, 0,  0,   0,   123, 39,  100, 101, 115, 99,  114,
     39,  58,  32,  39,  124, 98, 49, 39, 44,  32, 39,  102, 111, 114, 116, 114, 97,  110, 95,
     111, 114, 100, 101, 114, 39, 58, 32, 70,  97, 108, 115, 101, 44,  32,  39,  115, 104, 97,
     112, 101, 39,  58,  32,  40, 48, 44, 32,  51, 41,  44,  32,  125, 32,  32,  32,  32,  32,
     32,  32,  32,  32,  32,  32, 32, 32, 32,  32, 32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32,  32,  32,  32,  32, 32, 32, 32,  32, 32,  32,  32,  32,  32,  32,  32,  32,  32,
     32,  32,  32,  32,  32,  32, 32, 32, 32,  32, 32,  32,  32,  10};

/* The bytes of t, in a buffer that the caller frees. */
static vdi_buffer written(vdi_tensor t) {
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    CHECK_OK(vdi_npy_write(&w, t, &err), err);
    return b;
}

static int same(vdi_tensor a, vdi_tensor b) {
    int64_t n = vdi_tensor_count(a);
    if (a.dtype != b.dtype || !vdi_tensor_same_shape(a, b)) return 0;
    if (n == 0) return 1;
    vdi_tensor packed;
    vdi_error err;
    if (vdi_tensor_alloc(NULL, b.dtype, b.ndim, b.shape, &packed, &err) < 0) return 0;
    int equal = vdi_tensor_copy(packed, b, &err) == VDI_OK &&
                memcmp(a.data, packed.data, vdi_tensor_bytes(a)) == 0;
    vdi_tensor_free(NULL, &packed);
    return equal;
}

TEST(npy, round_trip) {
    static const int64_t shapes[][7] = {
        {0}, {1, 0}, {1, 3}, {2, 3, 4}, {3, 2, 0, 5}, {3, 2, 3, 4}, {6, 1, 2, 1, 3, 2, 2}};
    unsigned long long seed = 5;
    vdi_error err;
    for (int d = 0; d < VDI_DTYPE_COUNT; d++) {
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            for (int view = 0; view < 3; view++) {
                /* as it is, axes exchanged, every second element backwards */
                vdi_tensor t, u, back;
                slow_stream s;
                CHECK_OK(vdi_tensor_alloc(NULL, (vdi_dtype)d, (int)shapes[i][0], shapes[i] + 1, &t,
                                          &err),
                         err);
                for (size_t k = 0; k < vdi_tensor_bytes(t); k++) {
                    ((unsigned char *)t.data)[k] =
                        (unsigned char)(d == VDI_BOOL ? test_uniform(&seed) < 0.5
                                                      : 256 * test_uniform(&seed));
                }
                u = view == 1 ? vdi_tensor_transpose(t) : t;
                if (view == 2 && t.ndim && t.shape[0] > 1)
                    u = vdi_tensor_slice(t, 0, t.shape[0] - 1, -2, t.shape[0] / 2);
                vdi_buffer b = written(u);
                vdi_reader r = view ? slow_reader(&s, b.data, b.size, 7)
                                    : vdi_reader_memory(b.data, b.size, "memory");
                CHECK_OK(vdi_npy_read(&r, NULL, &back, &err), err);
                CHECK(same(back, u) && r.at == (int64_t)b.size, "dtype %d, shape %d, view %d", d,
                      (int)i, view);
                CHECK(b.size % 64 == vdi_tensor_bytes(u) % 64, "data begin at a multiple of 64");
                vdi_buffer_free(&b);
                vdi_tensor_free(NULL, &back);
                vdi_tensor_free(NULL, &t);
            }
        }
    }
}

static vdi_tensor read_bytes(const unsigned char *bytes, size_t size) {
    vdi_tensor t;
    vdi_error err;
    vdi_reader r = vdi_reader_memory(bytes, size, "numpy");
    CHECK_OK(vdi_npy_read(&r, NULL, &t, &err), err);
    return t;
}
#define READ(name) read_bytes(name, sizeof name)

/* The header alone, as it is read and as it is written before data that come in parts. */
TEST(npy, headers) {
    const int64_t shape[2] = {2, 3};
    const uint16_t one = 1;
    const bool little = *(const unsigned char *)&one == 1;
    vdi_npy_header h;
    vdi_error err;
    vdi_reader r = vdi_reader_memory(c_f8, sizeof c_f8, "c_f8");
    CHECK_OK(vdi_npy_read_header(&r, &h, &err), err);
    CHECK(r.at == 128 && h.dtype == VDI_F64 && h.ndim == 2 && h.shape[0] == 2 && h.shape[1] == 3);
    CHECK(h.plain == little && !h.fortran, "plain is the byte order of this machine");
    r = vdi_reader_memory(fortran_big_f4, sizeof fortran_big_f4, "fortran_big_f4");
    CHECK_OK(vdi_npy_read_header(&r, &h, &err), err);
    CHECK(h.fortran && h.plain != little && h.dtype == VDI_F32, "big-endian");
    r = vdi_reader_memory(u2, sizeof u2, "u2");
    CHECK_OK(vdi_npy_read_header(&r, &h, &err), err);
    CHECK(!h.plain && h.dtype == VDI_I32, "what is widened is not plain");
    r = vdi_reader_memory(c_f8, 60, "cut");
    CHECK(vdi_npy_read_header(&r, &h, &err) < 0);

    vdi_buffer b;
    vdi_writer w;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    CHECK_OK(vdi_npy_write_header(&w, VDI_F64, 2, shape, &err), err);
    CHECK(b.size == 128 && memcmp(b.data, c_f8, 128) == 0, "the header that NumPy writes");
    CHECK_FAILS(vdi_npy_write_header(&w, VDI_F64, 7, shape, &err), VDI_ERR_ARGUMENT);
    vdi_buffer_free(&b);
}

TEST(npy, written_by_numpy) {
    vdi_tensor t = READ(c_f8);
    CHECK(t.dtype == VDI_F64 && t.ndim == 2 && t.shape[0] == 2 && t.shape[1] == 3);
    for (int i = 0; i < 6; i++)
        CHECK(((double *)t.data)[i] == i * 0.5);
    /* and NumPy's bytes come back, but for the spaces that it leaves for a growing first axis */
    vdi_buffer b = written(t);
    CHECK(b.size == sizeof c_f8 && memcmp(b.data + 128, c_f8 + 128, 48) == 0 &&
          memcmp(b.data, c_f8, 60) == 0);
    vdi_buffer_free(&b);
    vdi_tensor_free(NULL, &t);
    t = READ(fortran_big_f4);
    CHECK(t.dtype == VDI_F32 && t.ndim == 2 && t.shape[0] == 2 && t.shape[1] == 3 &&
          vdi_tensor_is_contiguous(t));
    for (int i = 0; i < 6; i++)
        CHECK(((float *)t.data)[i] == (float)i, "row-major at %d", i);
    vdi_tensor_free(NULL, &t);
    t = READ(u2);
    CHECK(t.dtype == VDI_I32 && ((int32_t *)t.data)[2] == 65535);
    vdi_tensor_free(NULL, &t);
    t = READ(i1);
    CHECK(t.dtype == VDI_I16 && ((int16_t *)t.data)[0] == -128 && ((int16_t *)t.data)[1] == -1 &&
          ((int16_t *)t.data)[2] == 127);
    vdi_tensor_free(NULL, &t);
    t = READ(u4_big);
    CHECK(t.dtype == VDI_I64 && t.ndim == 2 && ((int64_t *)t.data)[0] == 1 &&
          ((int64_t *)t.data)[1] == 4294967295LL);
    vdi_tensor_free(NULL, &t);
    t = READ(f2);
    float *h = (float *)t.data;
    CHECK(t.dtype == VDI_F32 && h[0] == 1.5f && h[1] == 0 && signbit(h[1]) && h[3] == 65504 &&
          isinf(h[4]) && isnan(h[5]));
    CHECK_CLOSE(h[2], ldexp(1, -24), 0); /* 6e-8 is the least half */
    vdi_tensor_free(NULL, &t);
    t = READ(scalar_v2);
    CHECK(t.dtype == VDI_I64 && t.ndim == 0 && *(int64_t *)t.data == -7);
    vdi_tensor_free(NULL, &t);
    t = READ(empty_bool);
    CHECK(t.dtype == VDI_BOOL && t.ndim == 2 && t.shape[0] == 0 && t.shape[1] == 3);
    vdi_tensor_free(NULL, &t);
}

/* A .npy 1.0 file with this dictionary and `data` zero bytes. */
static size_t make_npy(unsigned char *out, const char *dictionary, size_t data) {
    size_t n = strlen(dictionary);
    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (unsigned char)(n & 255);
    out[9] = (unsigned char)(n >> 8);
    memcpy(out + 10, dictionary, n);
    memset(out + 10 + n, 0, data);
    return 10 + n + data;
}

TEST(npy, headers_that_lie) {
    static const struct {
        const char *dictionary, *says;
        int data;
        vdi_status status;
    } cases[] = {
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", "needs 16 bytes, found 15", 15,
         VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904,)}", "beyond", 8,
         VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296, 0)}", "beyond",
         0, VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
         "needs 8000000000000 bytes", 8, VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
         "not a length", 8, VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", "not a length", 8,
         VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1)}", "not a tuple", 8,
         VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1)}",
         "more than 6 axes", 8, VDI_ERR_UNSUPPORTED},
        {"{'descr': '<f8', 'fortran_order': Maybe, 'shape': (1,)}", "neither True nor False", 8,
         VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False}", "needs the keys", 8, VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", "key twice", 8,
         VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}", "key besides", 8,
         VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)", "comma or '}'", 8,
         VDI_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} import os", "text follows", 8,
         VDI_ERR_FORMAT},
        {"{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", "'<c16'", 16,
         VDI_ERR_UNSUPPORTED},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "'|O'", 8, VDI_ERR_UNSUPPORTED},
        {"{'descr': '=f8', 'fortran_order': False, 'shape': (1,)}", "'=f8'", 8,
         VDI_ERR_UNSUPPORTED},
        {"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", "records", 8,
         VDI_ERR_UNSUPPORTED},
        {"", "begin with '{'", 8, VDI_ERR_FORMAT},
    };
    unsigned char file[512];
    vdi_tensor t;
    vdi_error err;
    greedy_allocator greedy;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int slow = 0; slow < 2; slow++) {
            vdi_allocator a = greedy_allocator_of(&greedy);
            slow_stream s;
            size_t n = make_npy(file, cases[i].dictionary, (size_t)cases[i].data);
            vdi_reader r =
                slow ? slow_reader(&s, file, n, 5) : vdi_reader_memory(file, n, "lie.npy");
            CHECK_FAILS(vdi_npy_read(&r, &a, &t, &err), cases[i].status);
            const bool vast = strstr(cases[i].says, "needs 8000000000000") != NULL;
            const char *says = vast && sizeof(size_t) == 4 ? "beyond the memory" : cases[i].says;
            if (!slow || !strstr(cases[i].says, "needs")) CHECK_SAYS(err, says);
            CHECK_SAYS(err, slow ? "in stream" : "in lie.npy");
            CHECK(!vdi_tensor_ok(t) && greedy.largest <= (slow ? 65536 : 0),
                  "case %d asked for %zu bytes", (int)i, greedy.largest);
        }
    }
}

TEST(npy, versions_and_elements_that_lie) {
    unsigned char file[512];
    vdi_tensor t;
    vdi_error err;
    size_t n = make_npy(file, "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", 8);
    vdi_reader r = vdi_reader_memory(file, n, "x");
    file[6] = 4;
    CHECK_FAILS(vdi_npy_read(&r, NULL, &t, &err), VDI_ERR_UNSUPPORTED);
    CHECK_SAYS(err, "version 4.0");
    file[6] = 2;
    file[8] = file[9] = file[10] = file[11] = 255;
    r = vdi_reader_memory(file, n, "x");
    CHECK_FAILS(vdi_npy_read(&r, NULL, &t, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "header of 4294967295 bytes");
    n = make_npy(file, "{'descr': '<u8', 'fortran_order': False, 'shape': (2,)}", 16);
    file[n - 1] = 128;
    r = vdi_reader_memory(file, n, "x");
    CHECK_FAILS(vdi_npy_read(&r, NULL, &t, &err), VDI_ERR_UNSUPPORTED);
    CHECK_SAYS(err, "element 1 is 9223372036854775808");
    r = vdi_reader_memory("PK\3\4............", 16, "x");
    CHECK_FAILS(vdi_npy_read(&r, NULL, &t, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "zip");
}

TEST(npy, cut_and_flipped) {
    vdi_tensor t;
    vdi_error err;
    unsigned long long seed = 11;
    unsigned char copy[sizeof fortran_big_f4];
    for (size_t n = 0; n < sizeof fortran_big_f4; n++) {
        for (int slow = 0; slow < 2; slow++) {
            slow_stream s;
            vdi_reader r = slow ? slow_reader(&s, fortran_big_f4, n, 9)
                                : vdi_reader_memory(fortran_big_f4, n, "cut");
            CHECK_FAILS(vdi_npy_read(&r, NULL, &t, &err), VDI_ERR_FORMAT);
            if (slow) {
                r = slow_reader(&s, fortran_big_f4, n, 9);
                s.fails = 1;
                CHECK_FAILS(vdi_npy_read(&r, NULL, &t, &err), VDI_ERR_IO);
            }
        }
    }
    for (int i = 0; i < (int)test_scaled(20000); i++) {
        memcpy(copy, fortran_big_f4, sizeof copy);
        for (int k = 0; k <= i % 3; k++) {
            copy[(size_t)(test_uniform(&seed) * (i % 2 ? 128.0 : sizeof copy))] ^=
                (unsigned char)(1 << (int)(8 * test_uniform(&seed)));
        }
        vdi_reader r = vdi_reader_memory(copy, sizeof copy, "flipped");
        err.message[0] = 0;
        vdi_status status = vdi_npy_read(&r, NULL, &t, &err);
        CHECK(status == VDI_OK ? vdi_tensor_ok(t) : !vdi_tensor_ok(t) && err.message[0],
              "flip %d: %d", i, status);
        if (status == VDI_OK) vdi_tensor_free(NULL, &t);
    }
}

TEST(npy, no_memory) {
    vdi_tensor t;
    vdi_error err;
    const unsigned char *files[3] = {fortran_big_f4, u2, c_f8};
    const size_t sizes[3] = {sizeof fortran_big_f4, sizeof u2, sizeof c_f8};
    for (int f = 0; f < 3; f++) {
        for (int slow = 0; slow < 2; slow++) {
            for (long fail = 1;; fail++) {
                test_allocator counter = {0, fail, 0, fail & 1};
                vdi_allocator a = test_allocator_of(&counter);
                slow_stream s;
                vdi_reader r = slow ? slow_reader(&s, files[f], sizes[f], 20)
                                    : vdi_reader_memory(files[f], sizes[f], "x");
                vdi_status status = vdi_npy_read(&r, &a, &t, &err);
                if (status == VDI_OK) vdi_tensor_free(&a, &t);
                CHECK(counter.live == 0, "file %d, request %ld: %ld blocks are left", f, fail,
                      counter.live);
                if (counter.requests < fail) {
                    CHECK(status == VDI_OK && fail > 1);
                    break;
                }
                CHECK(status == VDI_ERR_MEMORY);
            }
        }
    }
}

TEST(npy, full_disk) {
    double x[300];
    vdi_error err;
    vdi_writer w;
    vdi_tensor t = vdi_tensor_1d(x, VDI_F64, 300);
    vdi_tensor odd = vdi_tensor_slice(t, 0, 0, 2, 150);
    vdi_tensor null = vdi_tensor_index(t, 5, 0);
    memset(x, 0, sizeof x);
    for (size_t capacity = 0; capacity <= 128 + 2400; capacity += 13) {
        size_t left = capacity;
        vdi_writer_init(&w, full_write, &left, "disk");
        CHECK(vdi_npy_write(&w, t, &err) == (capacity >= 128 + 2400 ? VDI_OK : VDI_ERR_IO),
              "space for %zu bytes", capacity);
        left = capacity;
        vdi_writer_init(&w, full_write, &left, "disk");
        CHECK(vdi_npy_write(&w, odd, &err) == (capacity >= 128 + 1200 ? VDI_OK : VDI_ERR_IO),
              "space for %zu bytes, strided", capacity);
    }
    FILE *full = open_full_disk();
    if (full) {
        fclose(full);
        CHECK_FAILS(vdi_npy_save("/dev/full", t, &err), VDI_ERR_IO);
        CHECK_SAYS(err, "/dev/full");
    }
    CHECK_FAILS(vdi_npy_save("/no/such/folder/x.npy", t, &err), VDI_ERR_IO);
    CHECK_SAYS(err, "/no/such/folder/x.npy");
    CHECK_FAILS(vdi_npy_save(scratch_path("null.npy"), null, &err), VDI_ERR_ARGUMENT);
}

TEST(npy, files) {
    vdi_tensor t = READ(c_f8), u;
    vdi_error err;
    const char *path = scratch_path("files.npy");
    CHECK_OK(vdi_npy_save(path, t, &err), err);
    CHECK_OK(vdi_npy_load(path, NULL, &u, &err), err);
    CHECK(same(t, u));
    vdi_tensor_free(NULL, &u);
    FILE *f = fopen(path, "ab");
    fputc('x', f);
    fclose(f);
    CHECK_FAILS(vdi_npy_load(path, NULL, &u, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "data follow the array");
    remove(path);
    CHECK_FAILS(vdi_npy_load(path, NULL, &u, &err), VDI_ERR_IO);
    CHECK_SAYS(err, path);
    CHECK_FAILS(vdi_npy_load("", NULL, &u, &err), VDI_ERR_IO);
    CHECK_FAILS(vdi_npy_load("/", NULL, &u, &err), VDI_ERR_IO);
    vdi_tensor_free(NULL, &t);
}

/* A name is UTF-8, on Windows too. */
TEST(npy, names_in_utf8) {
    char path[600], *name;
    vdi_error err;
    vdi_tensor t;
    double x = 3;
    snprintf(path, sizeof path, "%s", scratch_path("s\xc3\xa9rie_\xce\xb1_\xf0\x9f\x90\x9f.npy"));
    CHECK_OK(vdi_npy_save(path, vdi_tensor_view(&x, VDI_F64, 0, NULL), &err), err);
    CHECK_OK(vdi_npy_load(path, NULL, &t, &err), err);
    CHECK(vdi_tensor_ok(t) && vdi_tensor_get(t, NULL) == 3);
    vdi_tensor_free(NULL, &t);
#ifdef _WIN32
    static const wchar_t utf16[] = L"s\u00e9rie_\u03b1_\xd83d\xdc1f.npy";
    wchar_t wide[700];
    size_t n = 0;
    for (name = path; strncmp(name, "s\xc3", 2); name++)
        wide[n++] = (wchar_t)*name;
    memcpy(wide + n, utf16, sizeof utf16);
    CHECK(_wremove(wide) == 0, "the file is not called as it should");
#else
    name = path;
    CHECK(remove(name) == 0);
#endif
}

/* NumPy reads what vdi wrote, where there is NumPy. */
TEST(npy, read_by_numpy) {
    static const char *const dtype[VDI_DTYPE_COUNT] = {"float32", "float64", "uint8", "int16",
                                                       "int32",   "int64",   "bool_"};
    char command[1600];
    vdi_error err;
    if (!have_numpy()) SKIP("needs python3-numpy");
    for (int d = 0; d < VDI_DTYPE_COUNT; d++) {
        vdi_tensor t;
        int64_t shape[3] = {2, 3, 4};
        CHECK_OK(vdi_tensor_alloc(NULL, (vdi_dtype)d, 3, shape, &t, &err), err);
        for (int i = 0; i < 24; i++)
            vdi_dtype_store((vdi_dtype)d, t.data, i, i % 7);
        const char *path = scratch_path("numpy.npy");
        CHECK_OK(vdi_npy_save(path, vdi_tensor_transpose(t), &err), err);
        snprintf(command, sizeof command,
                 "/usr/bin/python3 -c \"import numpy as n; a = n.load('%s'); "
                 "assert a.dtype == n.%s and (a == (n.arange(24) %% 7).reshape(2, 3, "
                 "4).transpose(0, 2, 1).astype(a.dtype)).all()\"",
                 path, dtype[d]);
        CHECK(run_command(command) == 0, "NumPy does not read %s", dtype[d]);
        vdi_tensor_free(NULL, &t);
        remove(path);
    }
}
