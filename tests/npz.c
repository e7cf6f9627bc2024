/* tests/npz.c - archives: round trips, NumPy's deflated and zip64 files, and archives that lie */
#include "io.h"
#include "npz_bytes.h"

static vdi_buffer archive(const vdi_named_tensor *tensors, int64_t count) {
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    CHECK_OK(vdi_npz_write(&w, tensors, count, NULL, &err), err);
    return b;
}

/* Two arrays in an archive: (2,3) float64 "a" and (4,) int16 "b". */
static vdi_buffer example(void) {
    static double x[6] = {1, 2, 3, 4, 5, 6};
    static int16_t y[4] = {-1, 0, 1, 2};
    vdi_named_tensor t[2];
    t[0].name = "a";
    t[0].tensor = vdi_tensor_2d(x, VDI_F64, 2, 3);
    t[1].name = "b";
    t[1].tensor = vdi_tensor_1d(y, VDI_I16, 4);
    return archive(t, 2);
}

TEST(npz, crc) {
    char zeros[100];
    memset(zeros, 0, sizeof zeros);
    CHECK(vdi_crc32(0, "123456789", 9) == 0xCBF43926u);
    CHECK(vdi_crc32(vdi_crc32(0, "1234", 4), "56789", 5) == 0xCBF43926u);
    CHECK(vdi_crc32(0, "", 0) == 0);
    for (size_t n = 1; n < 40; n++) { /* every remainder of eight bytes, against a byte at a time */
        CHECK(vdi_crc32(0, zeros, n) == vdi_crc32(vdi_crc32(0, zeros, 1), zeros, n - 1));
    }
}

TEST(npz, round_trip) {
    vdi_buffer b = example(), again = example();
    vdi_npz npz;
    vdi_tensor t;
    vdi_error err;
    CHECK(b.size == again.size && memcmp(b.data, again.data, b.size) == 0,
          "equal arrays make equal bytes");
    vdi_buffer_free(&again);
    for (int slow = 0; slow < 2; slow++) {
        slow_stream s;
        CHECK_OK(vdi_npz_open(&npz,
                              slow ? slow_reader(&s, b.data, b.size, 50)
                                   : vdi_reader_memory(b.data, b.size, "two.npz"),
                              NULL, &err),
                 err);
        CHECK(npz.count == 2 && strcmp(npz.name[0], "a") == 0 && strcmp(npz.name[1], "b") == 0);
        CHECK_OK(vdi_npz_get(&npz, "b", NULL, &t, &err), err);
        CHECK(t.dtype == VDI_I16 && t.shape[0] == 4 && ((int16_t *)t.data)[0] == -1);
        vdi_tensor_free(NULL, &t);
        CHECK_OK(vdi_npz_get(&npz, "a.npy", NULL, &t, &err), err);
        CHECK(t.dtype == VDI_F64 && ((double *)t.data)[5] == 6);
        vdi_tensor_free(NULL, &t);
        CHECK_FAILS(vdi_npz_get(&npz, "c", NULL, &t, &err), VDI_ERR_ARGUMENT);
        CHECK_SAYS(err, "there are: a b");
        vdi_npz_close(&npz);
    }
    vdi_buffer_free(&b);
    b = archive(NULL, 0);
    CHECK_OK(vdi_npz_open(&npz, vdi_reader_memory(b.data, b.size, "empty"), NULL, &err), err);
    CHECK(npz.count == 0);
    vdi_npz_close(&npz);
    vdi_buffer_free(&b);
}

TEST(npz, names) {
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    vdi_named_tensor t[2];
    double x = 1;
    t[0].name = "x";
    t[0].tensor = t[1].tensor = vdi_tensor_view(&x, VDI_F64, 0, NULL);
    char long_name[252];
    memset(long_name, 'n', sizeof long_name);
    long_name[251] = 0;
    const char *const bad[5] = {"x", "", NULL, "caf\xE9", long_name};
    const char *path = scratch_path("names.npz");
    for (int i = 0; i < 5; i++) {
        vdi_buffer_init(&b, NULL);
        vdi_writer_to_buffer(&w, &b);
        t[1].name = bad[i];
        CHECK_FAILS(vdi_npz_write(&w, t, 2, NULL, &err), VDI_ERR_ARGUMENT);
        vdi_buffer_free(&b);
        CHECK_FAILS(vdi_npz_save(path, t, 2, &err), VDI_ERR_ARGUMENT);
        FILE *file = fopen(path, "rb");
        CHECK(file == NULL, "a refused list empties no file");
        if (file) fclose(file);
    }
    /* a plain archive: its names are UTF-8 too */
    for (int i = 0; i < 2; i++) {
        vdi_zip_writer zip;
        vdi_buffer_init(&b, NULL);
        vdi_writer_to_buffer(&w, &b);
        vdi_zip_begin(&zip, &w, NULL);
        vdi_zip_add(&zip, i ? "caf\xC3\xA9" : "caf\xE9", &x, sizeof x);
        vdi_status status = vdi_zip_end(&zip, &err);
        CHECK(status == (i ? VDI_OK : VDI_ERR_ARGUMENT));
        if (i == 0) CHECK_SAYS(err, "no UTF-8");
        vdi_buffer_free(&b);
    }
}

TEST(npz, deflated_by_numpy) {
    vdi_npz npz;
    vdi_tensor t;
    vdi_error err;
    for (int slow = 0; slow < 2; slow++) {
        slow_stream s;
        CHECK_OK(vdi_npz_open(&npz,
                              slow ? slow_reader(&s, compressed, sizeof compressed, 3)
                                   : vdi_reader_memory(compressed, sizeof compressed, "c"),
                              NULL, &err),
                 err);
        CHECK(npz.count == 2 && npz.zip.member[0].method == 8);
        CHECK_OK(vdi_npz_get(&npz, "wave", NULL, &t, &err), err);
        CHECK(t.dtype == VDI_F64 && t.ndim == 1 && t.shape[0] == 3000);
        for (int i = 0; i < 3000; i++)
            CHECK(((double *)t.data)[i] == (i % 50) * 0.25, "at %d", i);
        vdi_tensor_free(NULL, &t);
        CHECK_OK(vdi_npz_get(&npz, "count", NULL, &t, &err), err);
        CHECK(t.dtype == VDI_I32 && ((int32_t *)t.data)[2] == 4);
        vdi_tensor_free(NULL, &t);
        vdi_npz_close(&npz);
    }
}

/* The archive itself: members by name, in pieces, one at a time. */
TEST(npz, members) {
    vdi_zip zip;
    vdi_reader member;
    vdi_error err;
    char text[7];
    const vdi_reader r = vdi_reader_memory(compressed, sizeof compressed, "c.zip");
    CHECK_OK(vdi_zip_open(&zip, r, NULL, &err), err);
    CHECK(zip.count == 2 && vdi_zip_find(&zip, "wave") == -1 && vdi_zip_find(&zip, "") == -1);
    const int64_t i = vdi_zip_find(&zip, "count.npy");
    CHECK(i == 1 && strcmp(zip.member[i].name, "count.npy") == 0 && zip.member[i].size == 144);
    for (int round = 0; round < 2; round++) {
        uint32_t crc = 0;
        int64_t total = 0, got;
        CHECK_OK(vdi_zip_enter(&zip, i, &member, &err), err);
        while ((got = vdi_read(&member, text, sizeof text)) > 0) {
            crc = vdi_crc32(crc, text, (size_t)got);
            total += got;
        }
        CHECK(got == 0 && total == 144 && crc == zip.member[i].crc);
        CHECK_OK(vdi_zip_leave(&zip, &err), err);
    }
    CHECK_OK(vdi_zip_enter(&zip, 0, &member, &err), err);
    CHECK(vdi_read(&member, text, 6) == 6 && memcmp(text, "\x93NUMPY", 6) == 0);
    CHECK_FAILS(vdi_zip_leave(&zip, &err), VDI_ERR_FORMAT); /* not all of it has been read */
    CHECK_FAILS(vdi_zip_enter(&zip, 2, &member, &err), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_zip_enter(&zip, -1, &member, &err), VDI_ERR_ARGUMENT);
    vdi_zip_close(&zip);
    vdi_zip_close(&zip);
}

TEST(npz, zip64) {
    vdi_npz npz;
    vdi_tensor t;
    vdi_error err;
    CHECK_OK(vdi_npz_open(&npz, vdi_reader_memory(wide, sizeof wide, "wide"), NULL, &err), err);
    CHECK_OK(vdi_npz_get(&npz, "x", NULL, &t, &err), err);
    CHECK(t.shape[0] == 2 && ((double *)t.data)[1] == 2);
    vdi_tensor_free(NULL, &t);
    vdi_npz_close(&npz);
}

/* Reads all members; the worst status. */
static vdi_status read_all(const void *data, size_t size, const vdi_allocator *a, vdi_error *err) {
    vdi_npz npz;
    vdi_status status = vdi_npz_open(&npz, vdi_reader_memory(data, size, "z"), a, err);
    if (status < 0) return status;
    for (int64_t i = 0; i < npz.count && status == VDI_OK; i++) {
        vdi_tensor t;
        status = vdi_npz_get(&npz, npz.name[i], a, &t, err);
        if (status == VDI_OK) vdi_tensor_free(a, &t);
    }
    vdi_npz_close(&npz);
    return status;
}

TEST(npz, cut_and_flipped) {
    vdi_buffer b = example();
    const unsigned char *files[3];
    size_t sizes[3];
    vdi_error err;
    unsigned long long seed = 3;
    files[0] = (const unsigned char *)b.data;
    files[1] = compressed;
    files[2] = wide;
    sizes[0] = b.size;
    sizes[1] = sizeof compressed;
    sizes[2] = sizeof wide;
    for (int f = 0; f < 3; f++) {
        unsigned char *copy = (unsigned char *)malloc(sizes[f]);
        for (size_t n = 0; n < sizes[f]; n++)
            CHECK(read_all(files[f], n, NULL, &err) < 0, "file %d cut at %zu", f, n);
        for (int i = 0; i < (int)test_scaled(8000); i++) {
            memcpy(copy, files[f], sizes[f]);
            for (int k = 0; k <= i % 4; k++) {
                copy[(size_t)(test_uniform(&seed) * (double)sizes[f])] ^=
                    (unsigned char)(1 << (int)(8 * test_uniform(&seed)));
            }
            err.message[0] = 0;
            CHECK(read_all(copy, sizes[f], NULL, &err) == VDI_OK || err.message[0],
                  "flip %d of file %d", i, f);
        }
        free(copy);
    }
    /* any flip in the data of a member is found */
    for (size_t at = 0; at < b.size; at++) {
        vdi_tensor t;
        vdi_npz npz;
        if (at < 30 + 5 + 128 || at >= 30 + 5 + 128 + 48) continue;
        b.data[at] ^= 16;
        CHECK_OK(vdi_npz_open(&npz, vdi_reader_memory(b.data, b.size, "f.npz"), NULL, &err), err);
        CHECK_FAILS(vdi_npz_get(&npz, "a", NULL, &t, &err), VDI_ERR_FORMAT);
        CHECK_SAYS(err, "CRC-32");
        CHECK_SAYS(err, "f.npz:a.npy");
        vdi_npz_close(&npz);
        b.data[at] ^= 16;
    }
    vdi_buffer_free(&b);
}

static void put(unsigned char *p, unsigned long long x, int n) {
    while (n--) {
        *p++ = (unsigned char)x;
        x >>= 8;
    }
}

/* ---- every code of deflate, by the rules of RFC 1951 ---- */

enum { LITERALS = 40000, UNPACKED = 200000 };
typedef struct packer {
    unsigned char bytes[UNPACKED], plain[UNPACKED];
    size_t bits, made;
} packer;

static void pack_bits(packer *p, unsigned value, int n) { /* least significant first */
    for (int i = 0; i < n; i++, p->bits++)
        p->bytes[p->bits / 8] |= (unsigned char)((value >> i & 1) << p->bits % 8);
}
static void pack_code(packer *p, unsigned code, int n) { /* most significant first */
    for (int i = n - 1; i >= 0; i--)
        pack_bits(p, code >> i, 1);
}
static void pack_symbol(packer *p, unsigned s) { /* of a block with fixed codes */
    if (s < 144)
        pack_code(p, 0x30 + s, 8);
    else if (s < 256)
        pack_code(p, 0x190 + s - 144, 9);
    else if (s < 280)
        pack_code(p, s - 256, 7);
    else
        pack_code(p, 0xC0 + s - 280, 8);
}
static int whole_log2(unsigned n) {
    int e = 0;
    while (n >>= 1)
        e++;
    return e;
}
static void pack_match(packer *p, unsigned length, unsigned distance) {
    const unsigned n = length - 3, f = distance - 1;
    const int e = n < 8 || length == 258 ? 0 : whole_log2(n) - 2;
    const int g = f < 4 ? 0 : whole_log2(f) - 1;
    pack_symbol(p, length == 258 ? 285
                   : n < 8       ? 257 + n
                                 : 257 + 4 * (unsigned)(e + 1) + (n >> e & 3));
    pack_bits(p, n & ((1u << e) - 1), e);
    pack_code(p, f < 4 ? f : 2 * (unsigned)(g + 1) + (f >> g & 1), 5);
    pack_bits(p, f & ((1u << g) - 1), g);
    for (unsigned i = 0; i < length; i++, p->made++)
        p->plain[p->made] = p->plain[p->made - distance];
}

/* Literals of all values, then all lengths, then distances about every power of two. */
static void pack_all(packer *p) {
    unsigned long long seed = 9;
    pack_bits(p, 1 | 1 << 1, 3); /* the last block, fixed codes */
    for (; p->made < LITERALS; p->made++) {
        p->plain[p->made] = (unsigned char)(256 * test_uniform(&seed));
        pack_symbol(p, p->plain[p->made]);
    }
    for (unsigned length = 3; length <= 258; length++)
        pack_match(p, length, 1 + length * 97 % 32768);
    for (unsigned power = 1; power <= 32768; power *= 2) {
        for (int i = -2; i <= 2; i++) {
            const int distance = (int)(power + power / 2 * (i == 0)) + i;
            if (distance >= 1 && distance <= 32768)
                pack_match(p, 3 + (unsigned)distance % 7, (unsigned)distance);
        }
    }
    pack_symbol(p, 256);
}

/* A block with codes of its own: symbol k (and the end, the last) has k ones and a zero, so that
 * every length of a code is there. */
static void pack_long_codes(packer *p) {
    enum { MOST = 15, END = 256 };
    pack_bits(p, 1 | 2 << 1, 3);
    pack_bits(p, 0, 5);  /* 257 codes of literals and lengths */
    pack_bits(p, 0, 5);  /* one of distances */
    pack_bits(p, 15, 4); /* the lengths of all 19 code lengths follow */
    for (int i = 0; i < 19; i++)
        pack_bits(p, i < 3 ? 0 : 4, 3); /* 16, 17 and 18 come first and are not used */
    for (unsigned i = 0; i < END; i++)
        pack_code(p, i < MOST ? i + 1 : 0, 4);
    pack_code(p, MOST, 4);
    pack_code(p, 1, 4); /* the distance, which nobody uses */
    for (; p->made < 300; p->made++) {
        const unsigned k = (unsigned)(p->made * 7 % MOST);
        p->plain[p->made] = (unsigned char)k;
        pack_code(p, (1u << (k + 1)) - 2, (int)k + 1);
    }
    pack_code(p, (1u << MOST) - 1, MOST);
}

/* An archive of that one member, "x". */
static vdi_buffer archived(const packer *p) {
    unsigned char local[31] = "PK\3\4", central[47] = "PK\1\2", end[22] = "PK\5\6";
    const size_t size = (p->bits + 7) / 8;
    vdi_buffer b;
    vdi_writer w;
    vdi_error err;
    put(local + 4, 20, 2);
    put(local + 8, 8, 2); /* deflated */
    put(local + 14, vdi_crc32(0, p->plain, p->made), 4);
    put(local + 18, size, 4);
    put(local + 22, p->made, 4);
    put(local + 26, 1, 2);
    local[30] = 'x';
    put(central + 4, 20, 2);
    memcpy(central + 6, local + 4, 26);
    central[46] = 'x';
    put(end + 8, 1, 2);
    put(end + 10, 1, 2);
    put(end + 12, sizeof central, 4);
    put(end + 16, sizeof local + size, 4);
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    vdi_write(&w, local, sizeof local);
    vdi_write(&w, p->bytes, size);
    vdi_write(&w, central, sizeof central);
    vdi_write(&w, end, sizeof end);
    CHECK_OK(vdi_writer_flush(&w, &err), err);
    return b;
}

static void unpacks(void (*pack)(packer *p)) {
    packer *p = (packer *)calloc(1, sizeof *p);
    unsigned char *got = (unsigned char *)malloc(UNPACKED);
    vdi_zip zip;
    vdi_reader member;
    vdi_error err;
    pack(p);
    vdi_buffer b = archived(p);
    CHECK_OK(vdi_zip_open(&zip, vdi_reader_memory(b.data, b.size, "all"), NULL, &err), err);
    CHECK_OK(vdi_zip_enter(&zip, vdi_zip_find(&zip, "x"), &member, &err), err);
    CHECK(vdi_read(&member, got, p->made) == (int64_t)p->made);
    CHECK(memcmp(got, p->plain, p->made) == 0, "of %zu bytes", p->made);
    CHECK_OK(vdi_zip_leave(&zip, &err), err);
    vdi_zip_close(&zip);
    vdi_buffer_free(&b);
    free(got);
    free(p);
}

TEST(npz, every_length_and_distance) { unpacks(pack_all); }
TEST(npz, codes_of_every_length) { unpacks(pack_long_codes); }

/* The directory entry number i of an archive. */
static unsigned char *entry(vdi_buffer b, int i) {
    unsigned char *p = (unsigned char *)b.data, *end = p + b.size;
    for (; p + 4 < end; p++)
        if (memcmp(p, "PK\1\2", 4) == 0 && i-- == 0) return p;
    return NULL;
}

TEST(npz, archives_that_lie) {
    vdi_error err;
    greedy_allocator greedy;
    vdi_allocator a = greedy_allocator_of(&greedy);
    vdi_buffer b = example();
    vdi_npz npz;
    unsigned char keep[46], *e = entry(b, 1), *first = entry(b, 0);
    memcpy(keep, e, 46);
    struct {
        int at, bytes;
        unsigned long long value;
        const char *says;
        vdi_status status;
    } cases[] = {
        {42, 4, 0, "overlap", VDI_ERR_FORMAT},
        {42, 4, 0xFFFFFF00, "beyond the archive", VDI_ERR_FORMAT},
        {42, 4, 5, "overlap", VDI_ERR_FORMAT},
        {20, 4, 1u << 30, "beyond the archive", VDI_ERR_FORMAT},
        {24, 4, 1u << 30, "impossible", VDI_ERR_FORMAT},
        {10, 2, 8, "contradicts", VDI_ERR_FORMAT},
        {10, 2, 12, "method 12", VDI_ERR_UNSUPPORTED},
        {8, 2, 1, "encrypted", VDI_ERR_UNSUPPORTED},
        {28, 2, 60000, "cut short", VDI_ERR_FORMAT},
        {16, 4, 1234, "CRC-32", VDI_ERR_FORMAT},
        {46, 1, 'a', "one name", VDI_ERR_FORMAT},
        {46, 1, 0, "NUL", VDI_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char name = e[46];
        put(e + cases[i].at, cases[i].value, cases[i].bytes);
        CHECK_FAILS(read_all(b.data, b.size, &a, &err), cases[i].status);
        CHECK_SAYS(err, cases[i].says);
        memcpy(e, keep, 46);
        e[46] = name;
    }
    CHECK(greedy.largest < 100000, "no lie costs memory: %zu bytes", greedy.largest);
    CHECK(first != NULL && read_all(b.data, b.size, NULL, &err) == VDI_OK);
    vdi_buffer_free(&b);
    CHECK_FAILS(vdi_npz_open(&npz, vdi_reader_memory("", 0, "empty"), NULL, &err), VDI_ERR_FORMAT);
    CHECK_FAILS(vdi_npz_open(&npz, vdi_reader_memory(compressed, 100, "no end"), NULL, &err),
                VDI_ERR_FORMAT);

    /* a bomb: a deflated member that claims as much as deflate could pack, and whose header
     * promises it */
    unsigned char *copy = (unsigned char *)malloc(sizeof compressed);
    memcpy(copy, compressed, sizeof compressed);
    b.data = (char *)copy;
    b.size = sizeof compressed;
    e = entry(b, 0);
    put(e + 24, 1032ull * (e[20] + 256u * e[21]), 4);
    a = greedy_allocator_of(&greedy);
    CHECK_FAILS(read_all(copy, sizeof compressed, &a, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "needs 24000 bytes, found");
    CHECK(greedy.largest < 100000);
    put(e + 24, 1ull << 31, 4);
    CHECK_FAILS(read_all(copy, sizeof compressed, &a, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "impossible");
    free(copy);
}

TEST(npz, no_memory) {
    vdi_error err;
    vdi_buffer b = example();
    for (int f = 0; f < 2; f++) {
        for (long fail = 1;; fail++) {
            test_allocator counter = {0, fail, 0, fail & 1};
            vdi_allocator a = test_allocator_of(&counter);
            vdi_status status = f ? read_all(compressed, sizeof compressed, &a, &err)
                                  : read_all(b.data, b.size, &a, &err);
            CHECK(counter.live == 0, "request %ld: %ld blocks are left", fail, counter.live);
            if (counter.requests < fail) {
                CHECK_OK(status, err);
                break;
            }
            CHECK(status == VDI_ERR_MEMORY, "request %ld: %s", fail, vdi_status_name(status));
        }
    }
    for (long fail = 1;; fail++) { /* and while writing */
        test_allocator counter = {0, fail, 0, 1};
        vdi_allocator a = test_allocator_of(&counter);
        double x = 1;
        size_t capacity = 1000000;
        vdi_writer w;
        vdi_named_tensor t;
        t.name = "x";
        t.tensor = vdi_tensor_view(&x, VDI_F64, 0, NULL);
        vdi_writer_init(&w, full_write, &capacity, NULL);
        vdi_status status = vdi_npz_write(&w, &t, 1, &a, &err);
        CHECK(counter.live == 0);
        if (counter.requests < fail) {
            CHECK(status == VDI_OK);
            break;
        }
        CHECK(status == VDI_ERR_MEMORY);
    }
    for (size_t capacity = 0; capacity < b.size; capacity += 7) {
        size_t left = capacity;
        vdi_writer w;
        double x[100];
        vdi_named_tensor t;
        memset(x, 0, sizeof x);
        t.name = "x";
        t.tensor = vdi_tensor_1d(x, VDI_F64, 100);
        vdi_writer_init(&w, full_write, &left, "disk");
        CHECK_FAILS(vdi_npz_write(&w, &t, 1, NULL, &err), VDI_ERR_IO);
    }
    vdi_buffer_free(&b);
}

TEST(npz, files) {
    vdi_tensor t;
    vdi_error err;
    char member[600];
    double x[3] = {1, 2, 3};
    vdi_named_tensor two[2];
    const char *path = scratch_path("files.npz");
    two[0].name = "one";
    two[0].tensor = vdi_tensor_1d(x, VDI_F64, 3);
    two[1].name = "two";
    two[1].tensor = vdi_tensor_1d(x, VDI_F64, 2);
    CHECK_OK(vdi_npz_save(path, two, 1, &err), err);
    CHECK_OK(vdi_array_load(path, NULL, &t, &err), err); /* the only one needs no name */
    CHECK(t.shape[0] == 3);
    vdi_tensor_free(NULL, &t);
    CHECK_OK(vdi_npz_save(path, two, 2, &err), err);
    snprintf(member, sizeof member, "%s:two", path);
    CHECK_OK(vdi_array_load(member, NULL, &t, &err), err);
    CHECK(t.shape[0] == 2);
    vdi_tensor_free(NULL, &t);
    CHECK_FAILS(vdi_array_load(path, NULL, &t, &err), VDI_ERR_ARGUMENT);
    CHECK_SAYS(err, "it holds 2 arrays (one two): name one as FILE:NAME");
    snprintf(member, sizeof member, "%s:three", path);
    CHECK_FAILS(vdi_array_load(member, NULL, &t, &err), VDI_ERR_ARGUMENT);
    CHECK_SAYS(err, "there are: one two");
    if (have_numpy()) {
        char command[900];
        snprintf(command, sizeof command,
                 "/usr/bin/python3 -c \"import numpy as n, zipfile; z = n.load('%s'); assert "
                 "z.files == ['one', 'two'] and "
                 "z['one'].tolist() == [1, 2, 3]; "
                 "assert zipfile.ZipFile('%s').testzip() is None\"",
                 path, path);
        CHECK(run_command(command) == 0, "NumPy does not read the archive");
    }
    remove(path);
    FILE *full = open_full_disk();
    if (full) {
        fclose(full);
        CHECK_FAILS(vdi_npz_save("/dev/full", two, 2, &err), VDI_ERR_IO);
    }
}
