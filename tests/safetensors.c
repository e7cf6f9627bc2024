/* tests/safetensors.c - states to and from files: the format by the byte, and files that lie */
#include "io.h"

static float weight[6] = {1, 2, 3, 4, 5, 6};
static double bias[2] = {0.5, -0.5};
static uint8_t flag[3] = {1, 0, 1};
static int64_t step = 12345678901LL;
static vdi_named_tensor tensors[5];
static vdi_meta meta[2] = {{"seed", "7"}, {"note", "caf\xC3\xA9 \"x\""}};

static vdi_state example(void) {
    vdi_state s;
    memset(&s, 0, sizeof s);
    tensors[0].name = "flag";
    tensors[0].tensor = vdi_tensor_1d(flag, VDI_BOOL, 3);
    tensors[1].name = "layer.weight";
    tensors[1].tensor = vdi_tensor_transpose(vdi_tensor_2d(weight, VDI_F32, 2, 3));
    tensors[2].name = "bias";
    tensors[2].tensor = vdi_tensor_1d(bias, VDI_F64, 2);
    tensors[3].name = "step";
    tensors[3].tensor = vdi_tensor_view(&step, VDI_I64, 0, NULL);
    tensors[4].name = "nothing";
    tensors[4].tensor = vdi_tensor_2d(NULL, VDI_I16, 0, 4);
    s.tensors = tensors;
    s.tensor_count = 5;
    s.meta = meta;
    s.meta_count = 2;
    return s;
}

static vdi_buffer written(const vdi_state *s) {
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    CHECK_OK(vdi_safetensors_write(&w, s, &err), err);
    return b;
}

TEST(safetensors, round_trip) {
    vdi_state s = example();
    vdi_buffer b = written(&s);
    vdi_error err;
    const char *want =
        "{\"__metadata__\":{\"seed\":\"7\",\"note\":\"caf\xC3\xA9 "
        "\\\"x\\\"\",\"vdi_crc32\":\"16332c11\"},\"bias\":{\"dtype\":\"F64\",\"shape\":[2],\"data_"
        "offsets\":[0,16]},"
        "\"step\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[16,24]},\"layer.weight\":{"
        "\"dtype\":\"F32\",\"shape\":["
        "3,2],\"data_offsets\":[24,48]},"
        "\"nothing\":{\"dtype\":\"I16\",\"shape\":[0,4],\"data_offsets\":[48,48]},\"flag\":{"
        "\"dtype\":\"BOOL\",\"shape\":[3]"
        ",\"data_offsets\":[48,51]}}";
    CHECK(b.size > 8 + strlen(want) && memcmp(b.data + 8, want, strlen(want)) == 0, "%.*s",
          (int)b.size - 8, b.data + 8);
    size_t header = (unsigned char)b.data[0] + 256u * (unsigned char)b.data[1];
    CHECK((header + 8) % 64 == 0 && b.size == 8 + header + 51 && b.data[8 + header + 48] == 1);
    for (int slow = 0; slow < 2; slow++) {
        vdi_safetensors f;
        slow_stream stream;
        vdi_reader r = slow ? slow_reader(&stream, b.data, b.size, 11)
                            : vdi_reader_memory(b.data, b.size, "m.safetensors");
        CHECK_OK(vdi_safetensors_read(&r, NULL, &f, &err), err);
        CHECK(f.state.tensor_count == 5 && f.state.meta_count == 2 &&
              strcmp(vdi_safetensors_meta(&f, "note"), meta[1].value) == 0);
        CHECK(vdi_safetensors_meta(&f, "no") == NULL &&
              !vdi_tensor_ok(vdi_safetensors_find(&f, "no")));
        vdi_tensor t = vdi_safetensors_find(&f, "layer.weight");
        CHECK(t.ndim == 2 && t.shape[0] == 3 && ((float *)t.data)[1] == 4 &&
              vdi_tensor_ok(vdi_safetensors_find(&f, "nothing")));
        CHECK(*(int64_t *)vdi_safetensors_find(&f, "step").data == step);

        /* into a model, all or nothing */
        float w2[6] = {0};
        double b2[2] = {0};
        vdi_named_tensor to[2];
        vdi_state model;
        memset(&model, 0, sizeof model);
        to[0].name = "layer.weight";
        to[0].tensor = vdi_tensor_2d(w2, VDI_F32, 3, 2);
        to[1].name = "bias";
        to[1].tensor = vdi_tensor_1d(b2, VDI_F64, 2);
        model.tensors = to;
        model.tensor_count = 2;
        CHECK_OK(vdi_safetensors_copy_to(&f, &model, &err), err);
        CHECK(w2[1] == 4 && b2[1] == -0.5);
        memset(w2, 0, sizeof w2);
        to[1].tensor = vdi_tensor_2d(b2, VDI_F64, 1, 2);
        CHECK_FAILS(vdi_safetensors_copy_to(&f, &model, &err), VDI_ERR_FORMAT);
        CHECK_SAYS(err, "bias: file has (2,) float64, model wants (1,2) float64");
        CHECK(w2[1] == 0, "nothing was copied");
        to[1].tensor = vdi_tensor_1d(w2, VDI_F32, 2);
        CHECK_FAILS(vdi_safetensors_copy_to(&f, &model, &err), VDI_ERR_FORMAT);
        CHECK_SAYS(err, "bias: file has (2,) float64, model wants (2,) float32");
        to[1].name = "gone";
        CHECK_FAILS(vdi_safetensors_copy_to(&f, &model, &err), VDI_ERR_FORMAT);
        CHECK_SAYS(err, "no tensor 'gone'");
        vdi_safetensors_free(&f);
    }
    vdi_buffer again = written(&s);
    CHECK(again.size == b.size && memcmp(again.data, b.data, b.size) == 0);
    vdi_buffer_free(&again);
    vdi_buffer_free(&b);
}

/* A file of this header and `data` bytes 0, 1, 2, ... */
static size_t make(unsigned char *out, const char *header, size_t data) {
    size_t n = strlen(header);
    memset(out, 0, 8);
    out[0] = (unsigned char)n;
    out[1] = (unsigned char)(n >> 8);
    memcpy(out + 8, header, n);
    for (size_t i = 0; i < data; i++)
        out[8 + n + i] = (unsigned char)i;
    return 8 + n + data;
}

TEST(safetensors, foreign) {
    unsigned char file[600];
    vdi_safetensors f;
    vdi_error err;
    /* data out of the header's order, and dtypes that are widened */
    size_t n = make(file,
                    "{\"u16\":{\"data_offsets\":[4,6],\"dtype\":\"U16\",\"shape\":[1]},\"bf\":{"
                    "\"dtype\":\"BF16\",\"shape\":[2],\"data_"
                    "offsets\":[0,4]},"
                    "\"i8\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[6,7]}}   \n",
                    7);
    memcpy(file + n - 7, "\x80\x3F\x40\xC0\xFF\xFF\x80", 7);
    vdi_reader r = vdi_reader_memory(file, n, "f");
    CHECK_OK(vdi_safetensors_read(&r, NULL, &f, &err), err);
    vdi_tensor t = vdi_safetensors_find(&f, "bf");
    CHECK(t.dtype == VDI_F32 && ((float *)t.data)[0] == 1 && ((float *)t.data)[1] == -3);
    t = vdi_safetensors_find(&f, "u16");
    CHECK(t.dtype == VDI_I32 && *(int32_t *)t.data == 65535);
    t = vdi_safetensors_find(&f, "i8");
    CHECK(t.dtype == VDI_I16 && *(int16_t *)t.data == -128);
    vdi_safetensors_free(&f);
    n = make(file, "{}", 0);
    r = vdi_reader_memory(file, n, "f");
    CHECK_OK(vdi_safetensors_read(&r, NULL, &f, &err), err);
    CHECK(f.state.tensor_count == 0);
    vdi_safetensors_free(&f);
}

TEST(safetensors, files_that_lie) {
    static const struct {
        const char *header, *says;
        int data;
        vdi_status status;
    } cases[] = {
        {"[]", "does not begin with '{'", 0, VDI_ERR_FORMAT},
        {"{\"a\":1}", "\"dtype\", \"shape\" and \"data_offsets\"", 0, VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", "expected ',' or '}'",
         4, VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}",
         "a: its shape needs 8 bytes, its offsets are 0 to 4", 4, VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "a: its shape", 4,
         VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0.5],\"data_offsets\":[0,4]}}", "a: its shape", 4,
         VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}",
         "a: its shape", 4, VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}",
         "its offsets are 4 to 0", 4, VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "a gap", 8,
         VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\","
         "\"shape\":[4],\"data_offsets\":[2,6]}}",
         "arrays overlap", 6, VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[250000000000],\"data_offsets\":[0,1000000000000]}}",
         "need 1000000000000 bytes, the file holds 4", 4, VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "the file holds 5", 5,
         VDI_ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", "F8_E4M3", 1,
         VDI_ERR_UNSUPPORTED},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", "7 axes", 1,
         VDI_ERR_UNSUPPORTED},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{\"dtype\":\"U8\","
         "\"shape\":[0],\"data_offsets\":[0,0]}}",
         "key twice", 0, VDI_ERR_FORMAT},
        {"{\"__metadata__\":{\"a\":1}}", "is no plain text", 0, VDI_ERR_FORMAT},
        {"{\"__metadata__\":3}", "\"__metadata__\"", 0, VDI_ERR_FORMAT},
    };
    unsigned char file[600];
    vdi_safetensors f;
    vdi_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int slow = 0; slow < 2; slow++) {
            greedy_allocator greedy;
            vdi_allocator a = greedy_allocator_of(&greedy);
            slow_stream s;
            size_t n = make(file, cases[i].header, (size_t)cases[i].data);
            vdi_reader r = slow ? slow_reader(&s, file, n, 9) : vdi_reader_memory(file, n, "lie");
            CHECK_FAILS(vdi_safetensors_read(&r, &a, &f, &err), cases[i].status);
            const bool vast = strstr(cases[i].says, "need 1000000000000") != NULL;
            const char *says =
                vast && sizeof(size_t) == 4 ? "offsets are 0 to 1000000000000" : cases[i].says;
            if (!slow) CHECK_SAYS(err, says);
            CHECK(f.state.tensor_count == 0 && greedy.largest <= 70000, "case %d: %zu bytes",
                  (int)i, greedy.largest);
            vdi_safetensors_free(&f); /* harmless */
        }
    }
    size_t n = make(file, "{}", 0);
    for (int i = 1; i < 8; i++) { /* absurd lengths */
        file[i] = 255;
        vdi_reader r = vdi_reader_memory(file, n, "x");
        CHECK_FAILS(vdi_safetensors_read(&r, NULL, &f, &err), VDI_ERR_FORMAT);
        CHECK_SAYS(err, "not a safetensors file");
    }
}

TEST(safetensors, damage) {
    vdi_state s = example();
    vdi_buffer b = written(&s);
    unsigned char *copy = (unsigned char *)malloc(b.size);
    vdi_safetensors f;
    vdi_error err;
    unsigned long long seed = 17;
    for (size_t n = 0; n < b.size; n++) {
        for (int slow = 0; slow < 2; slow++) {
            slow_stream stream;
            vdi_reader r =
                slow ? slow_reader(&stream, b.data, n, 60) : vdi_reader_memory(b.data, n, "cut");
            CHECK(vdi_safetensors_read(&r, NULL, &f, &err) == VDI_ERR_FORMAT, "cut at %zu", n);
        }
    }
    for (int i = 0; i < (int)test_scaled(10000); i++) {
        memcpy(copy, b.data, b.size);
        for (int k = 0; k <= i % 3; k++) {
            copy[(size_t)(test_uniform(&seed) * (double)b.size)] ^=
                (unsigned char)(1 << (int)(8 * test_uniform(&seed)));
        }
        vdi_reader r = vdi_reader_memory(copy, b.size, "flipped");
        err.message[0] = 0;
        CHECK(vdi_safetensors_read(&r, NULL, &f, &err) == VDI_OK || err.message[0]);
        vdi_safetensors_free(&f);
    }
    for (long fail = 1;; fail++) {
        test_allocator counter = {0, fail, 0, fail & 1};
        vdi_allocator a = test_allocator_of(&counter);
        vdi_reader r = vdi_reader_memory(b.data, b.size, "x");
        vdi_status status = vdi_safetensors_read(&r, &a, &f, &err);
        vdi_safetensors_free(&f);
        CHECK(counter.live == 0, "request %ld: %ld blocks are left", fail, counter.live);
        if (counter.requests < fail) {
            CHECK_OK(status, err);
            break;
        }
        CHECK(status == VDI_ERR_MEMORY);
    }
    for (size_t capacity = 0; capacity < b.size; capacity += 5) {
        size_t left = capacity;
        vdi_writer w;
        vdi_writer_init(&w, full_write, &left, "disk");
        CHECK_FAILS(vdi_safetensors_write(&w, &s, &err), VDI_ERR_IO);
    }
    free(copy);
    vdi_buffer_free(&b);
}

/* A checksum of the data, by zlib's crc32 above: every flipped bit is found. */
TEST(safetensors, checksum) {
    vdi_state s = example();
    vdi_buffer b = written(&s);
    vdi_error err;
    vdi_safetensors f;
    const size_t data = b.size - 51;
    for (size_t bit = 0; bit < 8 * 51; bit++) {
        b.data[data + bit / 8] ^= (char)(1 << bit % 8);
        vdi_reader r = vdi_reader_memory(b.data, b.size, "m.safetensors");
        CHECK_FAILS(vdi_safetensors_read(&r, NULL, &f, &err), VDI_ERR_FORMAT);
        CHECK_SAYS(err, "the data are damaged: their CRC-32 is ");
        CHECK_SAYS(err, ", expected 16332c11, in m.safetensors");
        CHECK(f.state.tensor_count == 0, "nothing is handed out");
        b.data[data + bit / 8] ^= (char)(1 << bit % 8);
    }
    /* it is no part of the metadata, so that what was read can be written again */
    vdi_reader r = vdi_reader_memory(b.data, b.size, "m.safetensors");
    CHECK_OK(vdi_safetensors_read(&r, NULL, &f, &err), err);
    CHECK(f.state.meta_count == 2 && !vdi_safetensors_meta(&f, VDI_SAFETENSORS_CRC32));
    vdi_buffer again = written(&f.state);
    vdi_safetensors g;
    r = vdi_reader_memory(again.data, again.size, "again");
    CHECK_OK(vdi_safetensors_read(&r, NULL, &g, &err), err);
    CHECK(g.state.tensor_count == 5 && g.state.meta_count == 2);
    vdi_safetensors_free(&f);
    vdi_safetensors_free(&g);
    vdi_buffer_free(&again);
    /* a checksum that is none */
    static const char *const bad[] = {"16332C11", "16332c1", "16332c110", "", "x6332c11"};
    for (size_t i = 0; i < VDI__COUNT(bad); i++) {
        unsigned char file[200];
        char header[100];
        snprintf(header, sizeof header, "{\"__metadata__\":{\"vdi_crc32\":\"%s\"}}", bad[i]);
        r = vdi_reader_memory(file, make(file, header, 0), "x");
        CHECK_FAILS(vdi_safetensors_read(&r, NULL, &f, &err), VDI_ERR_FORMAT);
        CHECK_SAYS(err, "expected 8 hexadecimal digits");
    }
    vdi_buffer_free(&b);
}

/* Names are refused where they would not be read back as they were. */
TEST(safetensors, names) {
    static const char *const bad[] = {"",        "__metadata__", VDI_SAFETENSORS_CRC32,
                                      "caf\xE9", "cut \xE2\x82", "\xED\xA0\x80"};
    vdi_error err;
    vdi_writer w;
    for (size_t i = 0; i < VDI__COUNT(bad); i++) {
        for (int key = 0; key < 2; key++) {
            vdi_state s = example();
            vdi_meta texts[2] = {{"seed", "7"}, {bad[i], "x"}};
            if (key) s.meta = texts;
            if (!key) tensors[2].name = bad[i];
            size_t capacity = SIZE_MAX;
            vdi_writer_init(&w, full_write, &capacity, "x");
            CHECK_FAILS(vdi_safetensors_write(&w, &s, &err), VDI_ERR_ARGUMENT);
            CHECK(w.written == 0, "nothing is written");
        }
    }
    vdi_state s = example();
    vdi_meta texts[2] = {{"seed", "7"}, {"path", "caf\xE9/\x01<"}};
    s.meta = texts;
    vdi_buffer b = written(&s);
    vdi_safetensors f;
    vdi_reader r = vdi_reader_memory(b.data, b.size, "x");
    CHECK_OK(vdi_safetensors_read(&r, NULL, &f, &err), err);
    CHECK(strcmp(vdi_safetensors_meta(&f, "path"), "caf\xEF\xBF\xBD/\x01<") == 0);
    vdi_safetensors_free(&f);
    vdi_buffer_free(&b);
}

TEST(safetensors, files) {
    vdi_state s = example();
    vdi_safetensors f;
    vdi_error err;
    const char *path = scratch_path("files.safetensors");
    CHECK_OK(vdi_safetensors_save(path, &s, &err), err);
    CHECK_OK(vdi_safetensors_load(path, NULL, &f, &err), err);
    CHECK_OK(vdi_safetensors_copy_to(&f, &s, &err), err);
    vdi_safetensors_free(&f);
    if (have_numpy()) {
        /* as the format's page reads it */
        char command[1200];
        snprintf(
            command, sizeof command,
            "/usr/bin/python3 -c \"import json, numpy as n; b = open('%s', 'rb').read(); k = "
            "int.from_bytes(b[:8], 'little'); "
            "h = json.loads(b[8:8 + k]); t = h['layer.weight']; p, q = t['data_offsets']; w = "
            "n.frombuffer(b[8 + k:][p:q], "
            "'<f4').reshape(t['shape']); "
            "assert w.tolist() == [[1, 4], [2, 5], [3, 6]] and h['__metadata__']['seed'] == '7'\"",
            path);
        CHECK(run_command(command) == 0, "Python does not read the file");
    }
    remove(path);
    CHECK_FAILS(vdi_safetensors_load(path, NULL, &f, &err), VDI_ERR_IO);
    vdi_safetensors_free(&f);
    tensors[1].name = "flag";
    CHECK_FAILS(vdi_safetensors_save(path, &s, &err), VDI_ERR_ARGUMENT);
    tensors[1].name = "__metadata__";
    CHECK_FAILS(vdi_safetensors_save(path, &s, &err), VDI_ERR_ARGUMENT);
    FILE *file = fopen(path, "rb");
    CHECK(file == NULL, "a refused state empties no file");
    if (file) fclose(file);
}
