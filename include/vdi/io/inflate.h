/* io/inflate.h - unpacks deflate (RFC 1951) and zlib (RFC 1950), pulled by the reader
 *
 * The contents of zip archives and MATLAB files are read through here: as many bytes as requested,
 * so that output may stop at any byte, and a bomb costs no more memory than its reader wants. There
 * is no public part: io/zip.h and io/mat.h hand out readers.
 *
 * Trust: codes that are incomplete or over-full, matches that begin before the data, lengths and
 * block types that mean nothing and an early end are found and named. Memory: 52 KiB for the state
 * of one stream, window and tables included.
 */
#ifndef VDI_IO_INFLATE_H
#define VDI_IO_INFLATE_H
#include "stream.h"

struct vdi__inflate;

#endif /* VDI_IO_INFLATE_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_INFLATE_C)
#define VDI_IO_INFLATE_C

#define VDI__CODE_MAX 15
#define VDI__FAST_BITS 9

/* A canonical Huffman code: symbols in the order of their codes, how many there are of each length,
 * and a table of the short ones. */
typedef struct vdi__code {
    uint16_t count[VDI__CODE_MAX + 1], symbol[288];
    uint16_t fast[1 << VDI__FAST_BITS]; /* symbol << 4 | length by the next 9 bits; 0: the code is
                                           longer */
} vdi__code;

typedef enum vdi__block_mode {
    VDI__BLOCK_HEAD,
    VDI__BLOCK_STORED,
    VDI__BLOCK_CODES,
    VDI__BLOCK_END
} vdi__block_mode;

/* One stream of packed data. */
typedef struct vdi__inflate {
    vdi_reader *in;
    int64_t packed_left; /* bytes that may still be taken from `in` */
    uint64_t made;       /* bytes unpacked so far */
    const char *why;     /* what is wrong, once something is */
    vdi__block_mode mode;
    bool last;
    uint64_t bits; /* the next bits of the input, lowest first */
    unsigned bit_count;
    unsigned in_at, in_end;
    unsigned run, distance; /* a match (or stored run) still to be copied */
    unsigned window_at;
    vdi__code literal, offset;
    uint8_t input[1 << 14], window[1 << 15];
} vdi__inflate;

VDI__FN bool vdi__inflate_fail(vdi__inflate *u, const char *why) {
    if (!u->why) u->why = why;
    return false;
}

VDI__FN void vdi__inflate_begin(vdi__inflate *u, vdi_reader *in, int64_t packed) {
    memset(u, 0, sizeof *u);
    u->in = in;
    u->packed_left = packed;
}

/* Is there packed data behind the end of the stream? */
VDI__FN bool vdi__inflate_leftover(const vdi__inflate *u) {
    return u->packed_left || u->in_at < u->in_end || u->bit_count >= 8;
}

VDI__FN void vdi__bits_fill(vdi__inflate *u) {
    while (u->bit_count <= 56) {
        if (u->in_at == u->in_end) {
            size_t want = (size_t)VDI__MIN(u->packed_left, (int64_t)sizeof u->input);
            int64_t got = want ? vdi_read(u->in, u->input, want) : 0;
            if (got <= 0) return;
            u->packed_left -= got;
            u->in_at = 0;
            u->in_end = (unsigned)got;
        }
        u->bits |= (uint64_t)u->input[u->in_at++] << u->bit_count;
        u->bit_count += 8;
    }
}

/* `n` <= 16 bits, or false at the end of the input. */
VDI__FN bool vdi__bits_take(vdi__inflate *u, unsigned n, unsigned *value) {
    if (u->bit_count < n) vdi__bits_fill(u);
    if (u->bit_count < n) return vdi__inflate_fail(u, "the packed data end too soon");
    *value = (unsigned)(u->bits & ((1u << n) - 1));
    u->bits >>= n;
    u->bit_count -= n;
    return true;
}

VDI__FN bool vdi__code_build(vdi__inflate *u, vdi__code *c, const uint8_t *length, int n) {
    unsigned at[VDI__CODE_MAX + 1], next[VDI__CODE_MAX + 1], code = 0, sum = 0;
    int left = 1;
    memset(c, 0, sizeof *c);
    for (int i = 0; i < n; i++)
        c->count[length[i]]++;
    c->count[0] = 0;
    for (int k = 1; k <= VDI__CODE_MAX; k++) {
        left = 2 * left - c->count[k];
        if (left < 0) return vdi__inflate_fail(u, "a Huffman code has too many words");
        at[k] = sum;
        next[k] = code;
        sum += c->count[k];
        code = (code + c->count[k]) << 1;
    }
    /* A code may be incomplete only if it has a single word of one bit, or none. */
    if (left > 0 && sum > 0 && !(sum == 1 && c->count[1] == 1))
        return vdi__inflate_fail(u, "a Huffman code is incomplete");
    for (int i = 0; i < n; i++) {
        unsigned bits = length[i];
        if (!bits) continue;
        c->symbol[at[bits]++] = (uint16_t)i;
        unsigned word = next[bits]++, reversed = 0;
        for (unsigned k = 0; k < bits; k++)
            reversed |= (word >> k & 1) << (bits - 1 - k);
        for (unsigned k = reversed; bits <= VDI__FAST_BITS && k < 1u << VDI__FAST_BITS;
             k += 1u << bits)
            c->fast[k] = (uint16_t)((unsigned)i << 4 | bits);
    }
    return true;
}

VDI__FN bool vdi__code_read(vdi__inflate *u, const vdi__code *c, unsigned *symbol) {
    if (u->bit_count < VDI__CODE_MAX) vdi__bits_fill(u);
    unsigned quick = c->fast[u->bits & ((1u << VDI__FAST_BITS) - 1)], bits = quick & 15;
    if (quick && bits <= u->bit_count) {
        *symbol = quick >> 4;
        u->bits >>= bits;
        u->bit_count -= bits;
        return true;
    }
    unsigned word = 0, first = 0, index = 0;
    for (bits = 1; bits <= VDI__CODE_MAX && bits <= u->bit_count; bits++) {
        word = word << 1 | (unsigned)(u->bits >> (bits - 1) & 1);
        if (word - first < c->count[bits]) {
            *symbol = c->symbol[index + (word - first)];
            u->bits >>= bits;
            u->bit_count -= bits;
            return true;
        }
        index += c->count[bits];
        first = (first + c->count[bits]) << 1;
    }
    return vdi__inflate_fail(u, bits > VDI__CODE_MAX
                                    ? "the packed data hold a word that is not in the code"
                                    : "the packed data end too soon");
}

/* ---- the head of a block: 3 bits, and the codes that it brings (RFC 1951, 3.2.3 to 3.2.7) ---- */

VDI__FN bool vdi__block_stored(vdi__inflate *u) {
    unsigned n, inverse, skip;
    if (!vdi__bits_take(u, u->bit_count & 7, &skip) || !vdi__bits_take(u, 16, &n) ||
        !vdi__bits_take(u, 16, &inverse))
        return false;
    if ((n ^ inverse) != 0xFFFF)
        return vdi__inflate_fail(u, "the length of a stored block is damaged");
    u->run = n;
    u->mode = VDI__BLOCK_STORED;
    return true;
}

VDI__FN bool vdi__block_fixed(vdi__inflate *u) {
    uint8_t length[288];
    memset(length, 8, 144);
    memset(length + 144, 9, 112);
    memset(length + 256, 7, 24);
    memset(length + 280, 8, 8);
    if (!vdi__code_build(u, &u->literal, length, 288)) return false;
    memset(length, 5, 32); /* the fixed offset code has 32 words; two of them mean nothing */
    return vdi__code_build(u, &u->offset, length, 32);
}

/* `count` code lengths, themselves packed in the code u->literal. */
VDI__FN bool vdi__block_lengths(vdi__inflate *u, uint8_t *length, unsigned count) {
    static const uint8_t bits[3] = {2, 3, 7}, least[3] = {3, 3, 11}; /* of symbols 16 to 18 */
    for (unsigned i = 0; i < count;) {
        unsigned symbol, repeat = 1;
        uint8_t value = 0;
        if (!vdi__code_read(u, &u->literal, &symbol)) return false;
        if (symbol < 16) {
            value = (uint8_t)symbol;
        } else {
            if (symbol == 16 && i == 0)
                return vdi__inflate_fail(u, "a code length repeats what does not exist");
            if (symbol == 16) value = length[i - 1];
            if (!vdi__bits_take(u, bits[symbol - 16], &repeat)) return false;
            repeat += least[symbol - 16];
            if (i + repeat > count) return vdi__inflate_fail(u, "there are too many code lengths");
        }
        memset(length + i, value, repeat);
        i += repeat;
    }
    return true;
}

VDI__FN bool vdi__block_dynamic(vdi__inflate *u) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                      11, 4,  12, 3, 13, 2, 14, 1, 15};
    uint8_t length[288 + 32];
    unsigned literals, offsets, lengths, value;
    if (!vdi__bits_take(u, 5, &literals) || !vdi__bits_take(u, 5, &offsets) ||
        !vdi__bits_take(u, 4, &lengths))
        return false;
    literals += 257;
    offsets += 1;
    lengths += 4;
    if (literals > 286 || offsets > 30)
        return vdi__inflate_fail(u, "a Huffman code has too many words");
    memset(length, 0, sizeof length);
    for (unsigned i = 0; i < lengths; i++) {
        if (!vdi__bits_take(u, 3, &value)) return false;
        length[order[i]] = (uint8_t)value;
    }
    if (!vdi__code_build(u, &u->literal, length, 19)) return false;
    memset(length, 0, sizeof length);
    if (!vdi__block_lengths(u, length, literals + offsets)) return false;
    if (!length[256]) return vdi__inflate_fail(u, "a block has no end");
    return vdi__code_build(u, &u->literal, length, (int)literals) &&
           vdi__code_build(u, &u->offset, length + literals, (int)offsets);
}

VDI__FN bool vdi__block_begin(vdi__inflate *u) {
    unsigned last, type;
    if (!vdi__bits_take(u, 1, &last) || !vdi__bits_take(u, 2, &type)) return false;
    u->last = last != 0;
    if (type == 0) return vdi__block_stored(u);
    u->mode = VDI__BLOCK_CODES;
    if (type == 1) return vdi__block_fixed(u);
    if (type == 2) return vdi__block_dynamic(u);
    return vdi__inflate_fail(u, "a block has the reserved type 3");
}

/* ---- the data of a block ---- */

/* A match of that length symbol: how far back it begins, and how long it runs. */
VDI__FN bool vdi__match_begin(vdi__inflate *u, unsigned symbol) {
    static const uint16_t base[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                      15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                      67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t base_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                          2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static const uint16_t far_base[30] = {
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
        193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    static const uint8_t far_bits[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                         6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
    unsigned extra, offset;
    if (symbol > 285) return vdi__inflate_fail(u, "a match has an unknown length");
    if (!vdi__bits_take(u, base_bits[symbol - 257], &extra)) return false;
    const unsigned run = base[symbol - 257] + extra;
    if (!vdi__code_read(u, &u->offset, &offset)) return false;
    if (offset > 29) return vdi__inflate_fail(u, "a match has an unknown distance");
    if (!vdi__bits_take(u, far_bits[offset], &extra)) return false;
    u->distance = far_base[offset] + extra;
    if (u->distance > u->made) return vdi__inflate_fail(u, "a match begins before the data");
    u->run = run;
    return true;
}

VDI__INLINE void vdi__inflate_put(vdi__inflate *u, uint8_t *out, uint8_t byte) {
    u->window[u->window_at++ & (sizeof u->window - 1)] = byte;
    *out = byte;
    u->made++;
}

/* Up to n bytes of the unpacked data; fewer at the end, and then perhaps with u->why. */
VDI__FN size_t vdi__inflate_take(vdi__inflate *u, uint8_t *out, size_t n) {
    const unsigned mask = sizeof u->window - 1;
    size_t done = 0;
    while (done < n && !u->why && u->mode != VDI__BLOCK_END) {
        unsigned symbol;
        if (u->mode == VDI__BLOCK_HEAD) {
            if (u->last)
                u->mode = VDI__BLOCK_END;
            else
                (void)vdi__block_begin(u);
        } else if (u->mode == VDI__BLOCK_STORED) {
            for (; u->run && done < n && vdi__bits_take(u, 8, &symbol); u->run--)
                vdi__inflate_put(u, out + done++, (uint8_t)symbol);
            if (!u->run) u->mode = VDI__BLOCK_HEAD;
        } else if (u->run) {
            for (; u->run && done < n; u->run--)
                vdi__inflate_put(u, out + done++, u->window[(u->window_at - u->distance) & mask]);
        } else if (vdi__code_read(u, &u->literal, &symbol)) {
            if (symbol < 256)
                vdi__inflate_put(u, out + done++, (uint8_t)symbol);
            else if (symbol == 256)
                u->mode = VDI__BLOCK_HEAD;
            else
                (void)vdi__match_begin(u, symbol);
        }
    }
    return done;
}

/* ---- zlib: two bytes before, Adler-32 behind ---- */

typedef struct vdi__zlib {
    vdi__inflate stream;
    uint32_t a, b; /* Adler-32 */
    bool begun;
} vdi__zlib;

VDI__FN void vdi__zlib_begin(vdi__zlib *z, vdi_reader *in, int64_t packed) {
    vdi__inflate_begin(&z->stream, in, packed);
    z->a = 1;
    z->b = 0;
    z->begun = false;
}

VDI__FN void vdi__adler_add(vdi__zlib *z, const uint8_t *p, size_t n) {
    while (n) {
        /* so many sums stay below 2^32 */
        const size_t part = VDI__MIN(n, (size_t)5552);
        for (size_t i = 0; i < part; i++) {
            z->a += p[i];
            z->b += z->a;
        }
        z->a %= 65521;
        z->b %= 65521;
        p += part;
        n -= part;
    }
}

/* The Adler-32 behind the data, most significant byte first. */
VDI__FN bool vdi__zlib_end(vdi__zlib *z) {
    vdi__inflate *u = &z->stream;
    uint32_t sum = 0;
    unsigned part;
    if (!vdi__bits_take(u, u->bit_count & 7, &part)) return false;
    for (int i = 0; i < 4; i++) {
        if (!vdi__bits_take(u, 8, &part)) return false;
        sum = sum << 8 | part;
    }
    return sum == (z->b << 16 | z->a) || vdi__inflate_fail(u, "the Adler-32 of the data is wrong");
}

/* A reader's callback: unpacks from `user`, a vdi__zlib. */
VDI__FN int64_t vdi__zlib_read(void *buffer, size_t size, void *user) {
    vdi__zlib *z = (vdi__zlib *)user;
    vdi__inflate *u = &z->stream;
    unsigned method, flags;
    if (!z->begun) {
        z->begun = true;
        if (!vdi__bits_take(u, 8, &method) || !vdi__bits_take(u, 8, &flags)) return -1;
        if ((method & 15) != 8 || method >> 4 > 7 || (method << 8 | flags) % 31 || flags & 32) {
            (void)vdi__inflate_fail(u, "its packed data have no zlib header");
            return -1;
        }
    }
    const bool ended = u->mode == VDI__BLOCK_END;
    const size_t got = vdi__inflate_take(u, (uint8_t *)buffer, size);
    vdi__adler_add(z, (const uint8_t *)buffer, got);
    if (!u->why && !ended && u->mode == VDI__BLOCK_END) (void)vdi__zlib_end(z);
    return u->why ? -1 : (int64_t)got;
}
#endif
