/* io/crc32.h - the checksum of zip, png and gzip, and of the tensors in a safetensors file
 *
 * Do this (it compiles):
 *     uint32_t crc = vdi_crc32(0, "123456789", 9);           0xcbf43926
 *     crc = vdi_crc32(crc, "more", 4);                       goes on where it stood
 *
 * CRC-32 with the reflected polynomial 0xEDB88320, eight bytes a step. It finds every error of up
 * to 32 bits in a row, and all others but one in four billion. It is no defence against somebody
 * who means to change a file.
 * Memory: 8 KiB of the stack for its tables, since vdi has no global that is written.
 */
#ifndef VDI_IO_CRC32_H
#define VDI_IO_CRC32_H
#include "../core/config.h"
#include "stream.h"

/** The CRC-32 of `data`, going on from `crc` (0 to begin). */
VDI_API uint32_t vdi_crc32(uint32_t crc, const void *data, size_t size);

/* private: a checksum under way, with its tables; other formats carry one */
typedef struct vdi__crc {
    uint32_t value;
    uint32_t table[8][256]; /* table[k][b]: what byte b does, k bytes later */
} vdi__crc;

#endif /* VDI_IO_CRC32_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_CRC32_C)
#define VDI_IO_CRC32_C

VDI__FN void vdi__crc_begin(vdi__crc *c) {
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t x = b;
        for (int i = 0; i < 8; i++)
            x = x >> 1 ^ (0xEDB88320u & (0u - (x & 1)));
        c->table[0][b] = x;
    }
    for (int k = 1; k < 8; k++) {
        for (int b = 0; b < 256; b++) {
            const uint32_t x = c->table[k - 1][b];
            c->table[k][b] = x >> 8 ^ c->table[0][x & 255];
        }
    }
    c->value = 0;
}

VDI__FN void vdi__crc_add(vdi__crc *c, const void *data, size_t n) {
    const uint8_t *p = (const uint8_t *)data;
    uint32_t x = ~c->value;
    for (; n >= 8; p += 8, n -= 8) {
        const uint32_t word =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        const uint32_t low = x ^ word;
        x = c->table[7][low & 255] ^ c->table[6][low >> 8 & 255] ^ c->table[5][low >> 16 & 255] ^
            c->table[4][low >> 24] ^ c->table[3][p[4]] ^ c->table[2][p[5]] ^ c->table[1][p[6]] ^
            c->table[0][p[7]];
    }
    for (; n; p++, n--)
        x = x >> 8 ^ c->table[0][(x ^ *p) & 255];
    c->value = ~x;
}

VDI__DEF uint32_t vdi_crc32(uint32_t crc, const void *data, size_t size) {
    vdi__crc c;
    vdi__crc_begin(&c);
    c.value = crc;
    vdi__crc_add(&c, data, size);
    return c.value;
}

/* A writer's callback that keeps nothing but the checksum. */
VDI__FN bool vdi__crc_write(const void *data, size_t size, void *user) {
    vdi__crc_add((vdi__crc *)user, data, size);
    return true;
}

/* A reader that passes on what `in` reads, and keeps the checksum. */
typedef struct vdi__crc_tap {
    vdi_reader *in;
    vdi__crc crc;
} vdi__crc_tap;

VDI__FN int64_t vdi__crc_read(void *buffer, size_t size, void *user) {
    vdi__crc_tap *tap = (vdi__crc_tap *)user;
    const int64_t got = vdi_read(tap->in, buffer, size);
    if (got > 0) vdi__crc_add(&tap->crc, buffer, (size_t)got);
    return got;
}

VDI__FN vdi_reader vdi__crc_tap_reader(vdi__crc_tap *tap, vdi_reader *in) {
    vdi_reader r = VDI__ZERO;
    const int64_t left = vdi__reader_left(in);
    tap->in = in;
    vdi__crc_begin(&tap->crc);
    r.read_fn = vdi__crc_read;
    r.user = tap;
    r.name = in->name;
    r.size = left < 0 ? 0 : left;
    return r;
}
#endif
