/* tests/same.c - the same bytes on every machine
 *
 * Files and uniform numbers do not depend on byte order, on the width of long or size_t, on how a
 * compiler evaluates float, or on the SIMD path. The checksums were taken on x86-64; each platform
 * of `make matrix` has to come to them.
 */
#include "check.h"

enum { COUNT = 200 };

typedef struct same_data {
    double real[COUNT];
    float single[COUNT];
    int64_t whole[COUNT];
    vdi_named_tensor tensor[3];
} same_data;

/* uniforms, and numbers that are awkward to write */
static void same_data_make(same_data *s) {
    static const double awkward[] = {0.1,   1.0 / 3,     5e-324, 1.7976931348623157e308,
                                     -2e-7, 123456789.5, 1e21,   0.5};
    vdi_rng rng = vdi_rng_make(7, 3);
    vdi_rng_fill_uniform(&rng, VDI_F64, COUNT, s->real);
    vdi_rng_fill_uniform(&rng, VDI_F32, COUNT, s->single);
    for (int i = 0; i < COUNT; i++) {
        s->whole[i] = (int64_t)vdi_rng_u64(&rng) >> (i % 60);
    }
    memcpy(s->real, awkward, sizeof awkward);
    s->tensor[0].name = "real";
    s->tensor[0].tensor = vdi_tensor_1d(s->real, VDI_F64, COUNT);
    s->tensor[1].name = "single";
    s->tensor[1].tensor = vdi_tensor_1d(s->single, VDI_F32, COUNT);
    s->tensor[2].name = "whole";
    s->tensor[2].tensor = vdi_tensor_1d(s->whole, VDI_I64, COUNT);
}

static vdi_status write_npy(vdi_writer *w, same_data *s, vdi_error *err) {
    return vdi_npy_write(w, s->tensor[0].tensor, err);
}
static vdi_status write_npz(vdi_writer *w, same_data *s, vdi_error *err) {
    return vdi_npz_write(w, s->tensor, 3, NULL, err);
}
static vdi_status write_csv(vdi_writer *w, same_data *s, vdi_error *err) {
    return vdi_csv_write(w, s->tensor, 3, err);
}
static vdi_status write_safetensors(vdi_writer *w, same_data *s, vdi_error *err) {
    static vdi_meta_list list;
    vdi_state state;
    memset(&list, 0, sizeof list);
    for (int i = 0; i < 8; i++) {
        static const char *const key[8] = {"a", "b", "c", "d", "e", "f", "g", "h"};
        (void)vdi_meta_put_real(&list, key[i], s->real[i]);
    }
    state.tensors = s->tensor;
    state.tensor_count = 3;
    state.meta = list.meta;
    state.meta_count = list.count;
    return vdi_safetensors_write(w, &state, err);
}
static vdi_status write_json(vdi_writer *w, same_data *s, vdi_error *err) {
    vdi_json_writer j;
    vdi_json_begin(&j, w, true);
    vdi_json_open(&j, NULL, '{');
    for (int i = 0; i < 3; i++)
        vdi_json_put_tensor(&j, s->tensor[i].name, s->tensor[i].tensor);
    vdi_json_close(&j);
    return vdi_json_end(&j, err);
}

TEST(same, files) {
    static const struct {
        const char *what;
        vdi_status (*write)(vdi_writer *w, same_data *s, vdi_error *err);
        uint32_t crc;
    } files[] = {
        {"npy", write_npy, 0x952d0b21u},   {"npz", write_npz, 0x54e4576du},
        {"csv", write_csv, 0xf20cd6f6u},   {"safetensors", write_safetensors, 0x5dfe73bdu},
        {"json", write_json, 0xcebcb45fu},
    };
    static same_data s;
    vdi_error err;
    same_data_make(&s);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        vdi_buffer b;
        vdi_writer w;
        vdi_buffer_init(&b, NULL);
        vdi_writer_to_buffer(&w, &b);
        CHECK_OK(files[i].write(&w, &s, &err), err);
        CHECK_OK(vdi_writer_flush(&w, &err), err);
        const unsigned crc = (unsigned)vdi_crc32(0, b.data, b.size);
        CHECK(crc == files[i].crc, "%s: %zu bytes with the checksum %08x, expected %08x",
              files[i].what, b.size, crc, (unsigned)files[i].crc);
        vdi_buffer_free(&b);
    }
}

/* The bits of uniforms are checked with the files; that of whole-number draws here. */
TEST(same, draws) {
    vdi_rng rng = vdi_rng_make(11, 5);
    uint64_t sum = 0;
    int64_t order[50];
    for (int i = 0; i < 1000; i++)
        sum = sum * 31 + vdi_rng_below(&rng, 1000003) + (vdi_rng_bernoulli(&rng, 0.3) ? 7u : 0u);
    vdi_rng_permutation(&rng, 50, order);
    for (int i = 0; i < 50; i++)
        sum = sum * 31 + (uint64_t)order[i];
    CHECK(sum == 18271568058206397478u, "the draws sum to %llu", (unsigned long long)sum);
}
