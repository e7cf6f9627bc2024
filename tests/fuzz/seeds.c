/* tests/fuzz/seeds.c - writes small valid files to begin from, one folder per target: seeds
 * FOLDER */
#include <stdio.h>

#include "../mat_bytes.h"
#include "../npz_bytes.h"
#include "vdi.h"

static int failed;
static const char *in(const char *folder, const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}
static void keep(vdi_status status, const vdi_error *err) {
    if (status < 0) {
        fprintf(stderr, "seeds: %s\n", err->message);
        failed = 1;
    }
}
static void bytes(const char *path, const void *content, size_t size) {
    vdi_writer w;
    vdi_error err;
    keep(vdi_writer_open(&w, path, &err), &err);
    vdi_write(&w, content, size);
    keep(vdi_writer_close(&w, &err), &err);
}

typedef struct bit_stream {
    uint8_t data[600];
    size_t bits;
} bit_stream;
static void put(bit_stream *b, unsigned value, int length) { /* lowest bit first */
    for (; length-- > 0; value >>= 1, b->bits++)
        b->data[b->bits / 8] = (uint8_t)(b->data[b->bits / 8] | (value & 1) << b->bits % 8);
}
static void word(bit_stream *b, unsigned value, int length) {
    /* of a Huffman code: highest bit first */
    while (length-- > 0)
        put(b, value >> length & 1, 1);
}

static void text(const char *path, const char *content) { bytes(path, content, strlen(content)); }

/* An archive of one deflated member, made by hand: 64 zeros in a .npy as a fixed block with a long
 * match. */
static void deflated(const char *path) {
    vdi_buffer npy;
    vdi_writer w;
    vdi_error err;
    double zeros[64] = {0};
    uint8_t head[46];
    bit_stream b;
    vdi_buffer_init(&npy, NULL);
    vdi_writer_to_buffer(&w, &npy);
    keep(vdi_npy_write(&w, vdi_tensor_1d(zeros, VDI_F64, 64), &err), &err);
    memset(&b, 0, sizeof b);
    put(&b, 1, 1);
    put(&b, 1, 2);
    for (size_t i = 0; i < 129; i++) { /* the header and the first zero as literals */
        uint8_t c = (uint8_t)npy.data[i];
        if (c < 144)
            word(&b, 0x30u + c, 8);
        else
            word(&b, 0x190u + c - 144, 9);
    }
    word(&b, 0xC0 + 285 - 280, 8);
    word(&b, 0, 5); /* 258 times what stands 1 back; 253 more */
    word(&b, 0xC0 + 284 - 280, 8);
    put(&b, 253 - 227, 5);
    word(&b, 0, 5);
    word(&b, 0, 7);
    size_t n = (b.bits + 7) / 8;
    memset(head, 0, sizeof head);
    keep(vdi_writer_open(&w, path, &err), &err);
    for (int local = 1; local >= 0; local--) { /* local header, data; directory */
        uint8_t *p = head + (local ? 0 : 2);
        uint32_t fields[3], signature = local ? 0x04034b50 : 0x02014b50;
        fields[0] = vdi_crc32(0, npy.data, npy.size);
        fields[1] = (uint32_t)n;
        fields[2] = (uint32_t)npy.size;
        memset(head, 0, sizeof head);
        for (int i = 0; i < 4; i++)
            head[i] = (uint8_t)(signature >> 8 * i);
        p[4] = 20;
        p[8] = 8;
        p[26] = 5;
        for (int i = 0; i < 12; i++)
            p[14 + i] = (uint8_t)(fields[i / 4] >> 8 * (i % 4));
        vdi_write(&w, head, local ? 30 : 46);
        vdi_write_text(&w, "z.npy");
        if (local) vdi_write(&w, b.data, n);
    }
    memset(head, 0, sizeof head);
    memcpy(head, "PK\5\6", 4);
    head[8] = head[10] = 1;
    head[12] = 51;
    head[16] = (uint8_t)(35 + n);
    head[17] = (uint8_t)((35 + n) >> 8);
    vdi_write(&w, head, 22);
    keep(vdi_writer_close(&w, &err), &err);
    vdi_buffer_free(&npy);
}

/* A state without its checksum, which no mutant of the file would have: the key is one letter
 * off. */
static void model(const char *path, const vdi_state *state) {
    vdi_buffer out;
    vdi_writer w;
    vdi_error err;
    vdi_buffer_init(&out, NULL);
    vdi_writer_to_buffer(&w, &out);
    keep(vdi_safetensors_write(&w, state, &err), &err);
    keep(vdi_writer_flush(&w, &err), &err);
    for (size_t i = 0; i + 9 < out.size; i++) {
        if (memcmp(out.data + i, VDI_SAFETENSORS_CRC32, 9) == 0) out.data[i] = 'x';
    }
    bytes(path, out.data, out.size);
    vdi_buffer_free(&out);
}

static void models(const char *folder) {
    vdi_error err;
    vdi_lds_desc ld = VDI__ZERO;
    vdi_plds_desc pd = VDI__ZERO;
    vdi_vilds_desc vd = VDI__ZERO;
    vdi_deepspike_desc dd = VDI__ZERO;
    vdi_sacd_desc sd = vdi_sacd_desc_defaults();
    vdi_lds *lds = NULL;
    vdi_plds *plds = NULL;
    vdi_vilds *vilds = NULL;
    vdi_deepspike *deepspike = NULL;
    vdi_sacd *sacd = NULL;
    ld.d = pd.d = vd.d = 1;
    ld.n = pd.n = vd.n = 2;
    vd.layers = vd.encoder_layers = 1;
    vd.hidden[0] = vd.encoder_hidden[0] = 2;
    dd.layers = 1;
    dd.channels[0] = dd.width[0] = dd.head_width = 1;
    dd.train.estimator = VDI_DEEPSPIKE_SUPERVISED;
    sd.observations = sd.actions = sd.components = sd.layers = 1;
    sd.hidden[0] = 2;
    keep(vdi_lds_create(&ld, &lds, &err), &err);
    keep(vdi_plds_create(&pd, &plds, &err), &err);
    keep(vdi_vilds_create(&vd, &vilds, &err), &err);
    keep(vdi_deepspike_create(&dd, &deepspike, &err), &err);
    keep(vdi_sacd_create(&sd, &sacd, &err), &err);
    if (failed) return;
    const vdi_state of_lds = vdi_lds_state(lds), of_plds = vdi_plds_state(plds);
    model(in(folder, "model/lds"), &of_lds);
    model(in(folder, "model/plds"), &of_plds);
    model(in(folder, "model/vilds"), vdi_vilds_state(vilds, false));
    model(in(folder, "model/deepspike"), vdi_deepspike_state(deepspike, NULL, false));
    model(in(folder, "model/sacd"), vdi_sacd_state(sacd, false));
    vdi_lds_destroy(lds);
    vdi_plds_destroy(plds);
    vdi_vilds_destroy(vilds);
    vdi_deepspike_destroy(deepspike);
    vdi_sacd_destroy(sacd);
}

/* What an environment answers, and what a client asks, behind the number of bytes at a time. */
#define ASKED                                       \
    "HELO\14\0\0\0vdi-env\n\1\0\0\0"                \
    "RSET\20\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0" \
    "STEP\4\0\0\0\0\0\0\0"                          \
    "QUIT\0\0\0\0"
typedef struct spoken {
    vdi_buffer out;
    vdi_writer w;
    size_t at;
} spoken;
static int64_t ask(void *buffer, size_t size, void *user) {
    spoken *s = (spoken *)user;
    size_t n = sizeof ASKED - 1 - s->at;
    if (n > size) n = size;
    memcpy(buffer, &ASKED[s->at], n);
    s->at += n;
    return (int64_t)n;
}
static bool answer(const void *data, size_t size, void *user) {
    vdi_write(&((spoken *)user)->w, data, size);
    return true;
}
static void wire(const char *folder) {
    spoken s;
    vdi_env env;
    vdi_error err;
    const vdi_env_wire ends = {ask, answer, &s};
    s.at = 0;
    vdi_buffer_init(&s.out, NULL);
    vdi_writer_to_buffer(&s.w, &s.out);
    vdi_write(&s.w, "\7", 1);
    keep(vdi_env_pendulum(&env), &err);
    keep(vdi_env_wire_serve(&env, &ends, NULL, &err), &err);
    keep(vdi_writer_flush(&s.w, &err), &err);
    vdi_env_close(&env);
    bytes(in(folder, "wire/client"), s.out.data, s.out.size);
    bytes(in(folder, "wire/server"), "\3" ASKED, sizeof ASKED);
    vdi_buffer_free(&s.out);
}

int main(int argc, char **argv) {
    double x[6] = {1, -2.5, 3e10, 0, 5, 6};
    int16_t y[4] = {1, 2, 3, -4};
    vdi_error err;
    vdi_named_tensor t[2];
    vdi_meta meta = {"seed", "7"};
    vdi_state state = {t, 2, &meta, 1};
    const char *folder = argc > 1 ? argv[1] : ".";
    t[0].name = "a.weight";
    t[0].tensor = vdi_tensor_2d(x, VDI_F64, 2, 3);
    t[1].name = "b";
    t[1].tensor = vdi_tensor_1d(y, VDI_I16, 4);
    keep(vdi_npy_save(in(folder, "npy/f8"), t[0].tensor, &err), &err);
    keep(vdi_npy_save(in(folder, "npy/i2"), t[1].tensor, &err), &err);
    text(in(folder, "npy/short"), "\x93NUMPY\x01");
    keep(vdi_npz_save(in(folder, "npz/stored"), t, 2, &err), &err);
    deflated(in(folder, "npz/deflated"));
    bytes(in(folder, "npz/compressed"), compressed, sizeof compressed);
    bytes(in(folder, "npz/wide"), wide, sizeof wide);
    bytes(in(folder, "mat/two"), mat_two, sizeof mat_two);
    bytes(in(folder, "mat/numbers"), mat_numbers, sizeof mat_numbers);
    bytes(in(folder, "mat/kinds"), mat_kinds, sizeof mat_kinds);
    keep(vdi_safetensors_save(in(folder, "safetensors/two"), &state, &err), &err);
    t[0].tensor = vdi_tensor_index(vdi_tensor_2d(x, VDI_F64, 1, 4), 0, 0);
    keep(vdi_csv_save(in(folder, "csv/named"), t, 2, &err), &err);
    text(in(folder, "csv/spaces"), "# c\n 1.0 2 \n3 nan\n");
    text(in(folder, "csv/quoted"), "\"a\",\"b \"\"c\"\"\"\r\n1,\r\n\"2\",NA\r\n");
    text(in(folder, "json/all"),
         "{\"a\":[1,-2.5e-3,true,false,null],\"b\":{\"c\":\"\\u00e9\\n\\ud834\\udd1e\"},\"d\":{}}");
    text(in(folder, "figure/line"),
         "\5titleAA@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
    text(in(folder, "json/deep"), "[[[[{\"x\":[[]]}]]]]");
    text(in(folder, "run_json/all"),
         "{\"version\": \"0.1.0\", \"family\": \"fuzz\", \"verb\": \"\", \"arguments\": "
         "[\"y.npy\", \"y2.npy\"], \"options\": {\"out\": \"run\", \"seed\": 7, \"threads\": 2, "
         "\"simd\": \"auto\", \"quiet\": true, \"json\": false, \"text\": \"a \\u00e9\\\"b\", "
         "\"flag\": true, \"whole\": -3, \"small\": 12, \"real\": 1e-7, \"open\": 0.25, \"kind\": "
         "\"cosine\", \"last\": 0.1, \"obs\": \"negbin\", \"hidden\": \"60,60\"}}");
    text(
        in(folder, "run_json/wrong"),
        "{\"family\": \"fuzz\", \"verb\": \"\", \"arguments\": [null, 3], \"options\": {\"whole\": "
        "\"3O00\", \"seed\": -1, \"real\": 1e99, \"hidden\": \"60,,60\", \"from\": 3}}");
    bytes(in(folder, "numbers/some"), "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25",
          21);
    models(folder);
    wire(folder);
    /* the deflated archive is valid: else it is no seed */
    vdi_npz npz;
    vdi_tensor z;
    keep(vdi_npz_open_file(&npz, in(folder, "npz/deflated"), NULL, &err), &err);
    if (!failed) {
        keep(vdi_npz_get(&npz, "z", NULL, &z, &err), &err);
        vdi_tensor_free(NULL, &z);
        vdi_npz_close(&npz);
    }
    return failed;
}
