/* io/zip.h - zip archives: list and read members (stored or deflated), write stored ones
 *
 * Do this:
 *     vdi_zip zip;
 *     vdi_reader file, member;
 *     if (vdi_reader_open(&file, "data.zip", &err) == VDI_OK &&
 *         vdi_zip_open(&zip, file, NULL, &err) == VDI_OK) {
 *         int64_t i = vdi_zip_find(&zip, "notes.txt");
 *         if (i >= 0 && vdi_zip_enter(&zip, i, &member, &err) == VDI_OK) {
 *             int64_t n = vdi_read(&member, text, sizeof text);
 *             if (vdi_zip_leave(&zip, &err) < 0) puts(err.message);          checks length and CRC
 *         }
 *         vdi_zip_close(&zip);
 *     }
 *     vdi_reader_close(&file);
 *
 * Sources: PKWARE APPNOTE 6.3.9 (headers, zip64), RFC 1951 (deflate).
 *
 * Trust: members that overlap, that claim more than deflate can pack (1032 to 1), doubled names,
 * bad CRCs and lengths are VDI_ERR_FORMAT. A deflated member is unpacked as it is read, so a bomb
 * costs no more memory than its reader asks for.
 * Does NOT: encryption, several disks, other methods than 0 and 8 (VDI_ERR_UNSUPPORTED), compress.
 * Memory: the directory in an arena, about 70 KiB while a deflated member is open; freed by
 * vdi_zip_close.
 * Threads: one archive, one thread. One member is open at a time.
 */
#ifndef VDI_IO_ZIP_H
#define VDI_IO_ZIP_H
#include "crc32.h"
#include "stream.h"

/** One file of an archive. */
typedef struct vdi_zip_member {
    const char *name; /**< with its folders, in UTF-8 */
    int64_t size;     /**< bytes unpacked */
    int64_t packed;   /**< bytes in the archive */
    uint32_t crc;     /**< CRC-32 of the unpacked bytes */
    uint16_t method;  /**< 0 stored, 8 deflated */
    /* private */
    uint16_t flags;
    int64_t offset, limit; /* of the local header; where the next thing begins */
    const char *label;     /* "archive:name", for messages */
} vdi_zip_member;

struct vdi__unpack;
/** An open archive; `member` and `count` are yours to read. */
typedef struct vdi_zip {
    vdi_zip_member *member; /**< in the order of the directory */
    int64_t count;          /**< members */
    /* private */
    vdi_reader reader;
    vdi_arena arena;
    char *whole; /* the archive, where its stream cannot seek */
    size_t whole_size;
    struct vdi__unpack *open;
} vdi_zip;

/** Read the directory. `r` is copied; what it stands on (file, memory, name) stays yours and must
 * outlive the archive.
 *  VDI_ERR_FORMAT if it is no sound archive. Allocates; pair with vdi_zip_close (also harmless
 *  after a failure). */
VDI_API VDI_NODISCARD vdi_status vdi_zip_open(vdi_zip *zip, vdi_reader r, const vdi_allocator *a,
                                              vdi_error *err);
/** The index of a member, or -1. */
VDI_API int64_t vdi_zip_find(const vdi_zip *zip, const char *name);
/** Start reading member `i` through `member`, which is valid until vdi_zip_leave. */
VDI_API VDI_NODISCARD vdi_status vdi_zip_enter(vdi_zip *zip, int64_t i, vdi_reader *member,
                                               vdi_error *err);
/** End it. VDI_ERR_FORMAT if it was damaged, or not all of it has been read. */
VDI_API vdi_status vdi_zip_leave(vdi_zip *zip, vdi_error *err);
/** Give its memory back. */
VDI_API void vdi_zip_close(vdi_zip *zip);

/** An archive being written. Treat the members as private. */
typedef struct vdi_zip_writer {
    vdi_writer *out;
    vdi_buffer directory;
    vdi_writer entry;
    int64_t count, start;
    bool bad_name; /* one is too long, or no UTF-8 */
} vdi_zip_writer;

/** Start an archive at the writer's place. */
VDI_API void vdi_zip_begin(vdi_zip_writer *z, vdi_writer *out, const vdi_allocator *a);
/** Store `size` bytes under `name`, in UTF-8 and up to 65535 bytes. Failures show up in
 * vdi_zip_end. */
VDI_API void vdi_zip_add(vdi_zip_writer *z, const char *name, const void *data, size_t size);
/** Write the directory and flush; frees. VDI_ERR_IO or VDI_ERR_MEMORY if anything failed,
 * VDI_ERR_ARGUMENT for a bad name. */
VDI_API vdi_status vdi_zip_end(vdi_zip_writer *z, vdi_error *err);

#endif /* VDI_IO_ZIP_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_ZIP_C)
#define VDI_IO_ZIP_C

/* ---- inflate: RFC 1951, pulled by the reader, so that output may stop at any byte ---- */

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

typedef struct vdi__unpack {
    vdi_reader *in;
    const vdi_zip_member *info;
    int64_t packed_left, produced;
    vdi__crc crc;
    const char *why; /* what is wrong, once something is */
    /* inflate */
    vdi__block_mode mode;
    bool last;
    uint64_t bits; /* the next bits of the input, lowest first */
    unsigned bit_count;
    unsigned in_at, in_end;
    unsigned run, distance; /* a match (or stored run) still to be copied */
    unsigned window_at;
    vdi__code literal, offset;
    uint8_t input[1 << 14], window[1 << 15];
} vdi__unpack;

VDI__FN bool vdi__unpack_fail(vdi__unpack *u, const char *why) {
    if (!u->why) u->why = why;
    return false;
}

VDI__FN void vdi__bits_fill(vdi__unpack *u) {
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
VDI__FN bool vdi__bits_take(vdi__unpack *u, unsigned n, unsigned *value) {
    if (u->bit_count < n) vdi__bits_fill(u);
    if (u->bit_count < n) return vdi__unpack_fail(u, "the packed data end too soon");
    *value = (unsigned)(u->bits & ((1u << n) - 1));
    u->bits >>= n;
    u->bit_count -= n;
    return true;
}

VDI__FN bool vdi__code_build(vdi__unpack *u, vdi__code *c, const uint8_t *length, int n) {
    unsigned at[VDI__CODE_MAX + 1], next[VDI__CODE_MAX + 1], code = 0, sum = 0;
    int left = 1;
    memset(c, 0, sizeof *c);
    for (int i = 0; i < n; i++)
        c->count[length[i]]++;
    c->count[0] = 0;
    for (int k = 1; k <= VDI__CODE_MAX; k++) {
        left = 2 * left - c->count[k];
        if (left < 0) return vdi__unpack_fail(u, "a Huffman code has too many words");
        at[k] = sum;
        next[k] = code;
        sum += c->count[k];
        code = (code + c->count[k]) << 1;
    }
    /* A code may be incomplete only if it has a single word of one bit, or none. */
    if (left > 0 && sum > 0 && !(sum == 1 && c->count[1] == 1))
        return vdi__unpack_fail(u, "a Huffman code is incomplete");
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

VDI__FN bool vdi__code_read(vdi__unpack *u, const vdi__code *c, unsigned *symbol) {
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
    return vdi__unpack_fail(u, bits > VDI__CODE_MAX
                                   ? "the packed data hold a word that is not in the code"
                                   : "the packed data end too soon");
}

/* The head of a block: 3 bits, and the codes of a dynamic one (RFC 1951, 3.2.7). */
VDI__FN bool vdi__block_begin(vdi__unpack *u) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                      11, 4,  12, 3, 13, 2, 14, 1, 15};
    uint8_t length[288 + 32];
    unsigned final, type, literals, offsets, lengths, symbol;
    if (!vdi__bits_take(u, 1, &final) || !vdi__bits_take(u, 2, &type)) return false;
    u->last = final != 0;
    memset(length, 0, sizeof length);
    if (type == 0) {
        unsigned n, inverse, skip;
        if (!vdi__bits_take(u, u->bit_count & 7, &skip) || !vdi__bits_take(u, 16, &n) ||
            !vdi__bits_take(u, 16, &inverse))
            return false;
        if ((n ^ inverse) != 0xFFFF)
            return vdi__unpack_fail(u, "the length of a stored block is damaged");
        u->run = n;
        u->mode = VDI__BLOCK_STORED;
        return true;
    }
    u->mode = VDI__BLOCK_CODES;
    if (type == 1) {
        for (int i = 0; i < 288; i++)
            length[i] = (uint8_t)(i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8);
        /* the fixed offset code has 32 words; two of them mean nothing */
        memset(length + 288, 5, 32);
        return vdi__code_build(u, &u->literal, length, 288) &&
               vdi__code_build(u, &u->offset, length + 288, 32);
    }
    if (type == 3) return vdi__unpack_fail(u, "a block has the reserved type 3");
    if (!vdi__bits_take(u, 5, &literals) || !vdi__bits_take(u, 5, &offsets) ||
        !vdi__bits_take(u, 4, &lengths))
        return false;
    literals += 257;
    offsets += 1;
    lengths += 4;
    if (literals > 286 || offsets > 30)
        return vdi__unpack_fail(u, "a Huffman code has too many words");
    for (unsigned i = 0; i < lengths; i++) {
        if (!vdi__bits_take(u, 3, &symbol)) return false;
        length[order[i]] = (uint8_t)symbol;
    }
    if (!vdi__code_build(u, &u->literal, length, 19)) return false;
    memset(length, 0, sizeof length);
    for (unsigned i = 0; i < literals + offsets;) {
        unsigned repeat = 1;
        uint8_t value = 0;
        if (!vdi__code_read(u, &u->literal, &symbol)) return false;
        if (symbol < 16) {
            value = (uint8_t)symbol;
        } else {
            if (symbol == 16 && i == 0)
                return vdi__unpack_fail(u, "a code length repeats what does not exist");
            if (symbol == 16) value = length[i - 1];
            if (!vdi__bits_take(u, symbol == 16 ? 2 : symbol == 17 ? 3 : 7, &repeat)) return false;
            repeat += symbol == 18 ? 11 : 3;
            if (i + repeat > literals + offsets)
                return vdi__unpack_fail(u, "there are too many code lengths");
        }
        while (repeat--)
            length[i++] = value;
    }
    if (!length[256]) return vdi__unpack_fail(u, "a block has no end");
    return vdi__code_build(u, &u->literal, length, (int)literals) &&
           vdi__code_build(u, &u->offset, length + literals, (int)offsets);
}

/* Up to n bytes of the unpacked data; fewer at the end, and then perhaps with u->why. */
VDI__FN size_t vdi__inflate(vdi__unpack *u, uint8_t *out, size_t n) {
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
    const unsigned mask = sizeof u->window - 1;
    size_t done = 0;
    while (done < n && !u->why) {
        unsigned symbol, extra;
        if (u->mode == VDI__BLOCK_HEAD) {
            if (u->last)
                u->mode = VDI__BLOCK_END;
            else
                (void)vdi__block_begin(u);
        } else if (u->mode == VDI__BLOCK_STORED) {
            for (; u->run && done < n && vdi__bits_take(u, 8, &symbol); u->run--)
                u->window[u->window_at++ & mask] = out[done++] = (uint8_t)symbol;
            if (!u->run) u->mode = VDI__BLOCK_HEAD;
        } else if (u->mode == VDI__BLOCK_END) {
            break;
        } else if (u->run) {
            for (; u->run && done < n; u->run--, u->window_at++) {
                u->window[u->window_at & mask] = out[done++] =
                    u->window[(u->window_at - u->distance) & mask];
            }
        } else if (vdi__code_read(u, &u->literal, &symbol)) {
            if (symbol < 256) {
                u->window[u->window_at++ & mask] = out[done++] = (uint8_t)symbol;
            } else if (symbol == 256) {
                u->mode = VDI__BLOCK_HEAD;
            } else if (symbol > 285) {
                (void)vdi__unpack_fail(u, "a match has an unknown length");
            } else if (vdi__bits_take(u, base_bits[symbol - 257], &extra)) {
                unsigned run = base[symbol - 257] + extra;
                if (!vdi__code_read(u, &u->offset, &symbol)) break;
                if (symbol > 29) {
                    (void)vdi__unpack_fail(u, "a match has an unknown distance");
                } else if (vdi__bits_take(u, far_bits[symbol], &extra)) {
                    u->distance = far_base[symbol] + extra;
                    if (u->distance > (uint64_t)u->produced + done)
                        (void)vdi__unpack_fail(u, "a match begins before the data");
                    else
                        u->run = run;
                }
            }
        }
    }
    return done;
}

VDI__FN int64_t vdi__unpack_read(void *buffer, size_t size, void *user) {
    vdi__unpack *u = (vdi__unpack *)user;
    int64_t got;
    if (u->why) return -1;
    if (u->info->method == 8) {
        got = (int64_t)vdi__inflate(u, (uint8_t *)buffer, size);
    } else {
        got = vdi_read(u->in, buffer, (size_t)VDI__MIN((uint64_t)size, (uint64_t)u->packed_left));
        if (got < 0)
            u->why = "the archive cannot be read";
        else
            u->packed_left -= got;
    }
    if (got > 0) {
        vdi__crc_add(&u->crc, buffer, (size_t)got);
        u->produced += got;
    }
    if (u->produced > u->info->size) (void)vdi__unpack_fail(u, "it unpacks to more than its size");
    return u->why ? -1 : got;
}

/* ---- the directory ---- */

VDI__FN bool vdi__member_before(const void *a, const void *b) {
    return ((const vdi_zip_member *)a)->offset < ((const vdi_zip_member *)b)->offset;
}
VDI__FN bool vdi__member_name_before(const void *a, const void *b) {
    return strcmp(((const vdi_zip_member *)a)->name, ((const vdi_zip_member *)b)->name) < 0;
}

VDI__FN vdi_status vdi__zip_bad(const vdi_zip *z, const char *what, vdi_error *err) {
    return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_open", z->reader.name,
                         "not a sound zip archive: %s", what);
}

VDI__FN vdi_status vdi__zip_at(vdi_zip *z, uint64_t offset, void *buffer, size_t size,
                               vdi_error *err) {
    if (offset > (uint64_t)z->reader.size || size > (uint64_t)z->reader.size - offset)
        return vdi__zip_bad(z, "an offset points beyond its end", err);
    if (!vdi__reader_seek(&z->reader, (int64_t)offset))
        return vdi__io_error(err, VDI_ERR_IO, "vdi_zip_open", z->reader.name, "cannot seek");
    return vdi__read_exact(&z->reader, buffer, size, "the archive", err);
}

/* Members from the bytes of the directory. */
VDI__FN vdi_status vdi__zip_members(vdi_zip *z, const uint8_t *p, size_t size,
                                    uint64_t directory_at, vdi_error *err) {
    const char *archive = z->reader.name ? z->reader.name : "";
    size_t prefix = strlen(archive) + (*archive != 0);
    for (int64_t i = 0; i < z->count; i++) {
        vdi_zip_member *m = &z->member[i];
        if (size < 46 || vdi__get_le(p, 4) != 0x02014b50)
            return vdi__zip_bad(z, "its directory is cut short", err);
        size_t name = (size_t)vdi__get_le(p + 28, 2);
        size_t extra = (size_t)vdi__get_le(p + 30, 2);
        size_t comment = (size_t)vdi__get_le(p + 32, 2);
        if (size - 46 < name + extra + comment)
            return vdi__zip_bad(z, "its directory is cut short", err);
        uint64_t packed = vdi__get_le(p + 20, 4);
        uint64_t full = vdi__get_le(p + 24, 4);
        uint64_t offset = vdi__get_le(p + 42, 4);
        m->flags = (uint16_t)vdi__get_le(p + 8, 2);
        m->method = (uint16_t)vdi__get_le(p + 10, 2);
        m->crc = (uint32_t)vdi__get_le(p + 16, 4);
        for (const uint8_t *e = p + 46 + name, *end = e + extra;
             end - e >= 4;) { /* zip64: the values that do not fit above, in this order */
            size_t n = (size_t)vdi__get_le(e + 2, 2);
            if ((size_t)(end - e) - 4 < n) break;
            if (vdi__get_le(e, 2) == 1) {
                const uint8_t *v = e + 4, *stop = v + n;
                if (full == 0xFFFFFFFF && stop - v >= 8) {
                    full = vdi__get_le(v, 8);
                    v += 8;
                }
                if (packed == 0xFFFFFFFF && stop - v >= 8) {
                    packed = vdi__get_le(v, 8);
                    v += 8;
                }
                if (offset == 0xFFFFFFFF && stop - v >= 8) offset = vdi__get_le(v, 8);
            }
            e += 4 + n;
        }
        char *label = (char *)vdi_arena_alloc(&z->arena, prefix + name + 1);
        if (!label) {
            return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_zip_open", z->reader.name,
                                 "no memory for the directory");
        }
        memcpy(label, archive, prefix);
        if (prefix) label[prefix - 1] = ':';
        memcpy(label + prefix, p + 46, name);
        label[prefix + name] = 0;
        m->label = label;
        m->name = label + prefix;
        if (strlen(m->name) != name) return vdi__zip_bad(z, "a member's name holds a NUL", err);
        if (offset > directory_at || packed > directory_at ||
            offset + 30 + name + packed > directory_at) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_open", m->label,
                                 "%llu bytes at offset %llu lie beyond the archive's %llu",
                                 (unsigned long long)packed, (unsigned long long)offset,
                                 (unsigned long long)directory_at);
        }
        if ((m->method == 0 && full != packed) || (m->method == 8 && full / 1032 > packed)) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_open", m->label,
                                 "%llu bytes are said to unpack to %llu, which is impossible",
                                 (unsigned long long)packed, (unsigned long long)full);
        }
        if (full > (uint64_t)INT64_MAX)
            return vdi__zip_bad(z, "a member's size is beyond reason", err);
        m->size = (int64_t)full;
        m->packed = (int64_t)packed;
        m->offset = (int64_t)offset;
        m->limit = (int64_t)directory_at;
        p += 46 + name + extra + comment;
        size -= 46 + name + extra + comment;
    }
    if (size) return vdi__zip_bad(z, "its directory is longer than its members need", err);
    return VDI_OK;
}

VDI__FN vdi_status vdi__zip_directory(vdi_zip *z, const vdi_allocator *a, vdi_error *err) {
    uint8_t tail[22 + 20], wide[56];
    vdi_status status;
    void *block = NULL;
    int64_t size = z->reader.size, end = -1;
    if (size < 22) return vdi__zip_bad(z, "it is too short", err);
    /* The end record is last but for a comment of up to 65535 bytes; the usual case, no comment,
     * comes first. */
    for (size_t length = 22; end < 0; length = (size_t)VDI__MIN(size, 65557)) {
        if (vdi__reader_seek(&z->reader, size - (int64_t)length) == false)
            return vdi__io_error(err, VDI_ERR_IO, "vdi_zip_open", z->reader.name, "cannot seek");
        if ((status = vdi__read_block(&z->reader, a, length, "the archive's end", &block, err)) < 0)
            return status;
        const uint8_t *p = (const uint8_t *)block;
        for (size_t i = length - 22; end < 0; i--) {
            if (vdi__get_le(p + i, 4) == 0x06054b50 &&
                vdi__get_le(p + i + 20, 2) == length - 22 - i)
                end = size - (int64_t)(length - i);
            if (i == 0) break;
        }
        vdi_free(a, block, length);
        if (end < 0 && length == (size_t)VDI__MIN(size, 65557))
            return vdi__zip_bad(z, "it has no end record", err);
    }
    if ((status = vdi__zip_at(z, (uint64_t)end, tail + 20, 22, err)) < 0) return status;
    uint64_t disk = vdi__get_le(tail + 24, 2) | vdi__get_le(tail + 26, 2);
    uint64_t count = vdi__get_le(tail + 30, 2);
    uint64_t length = vdi__get_le(tail + 32, 4);
    uint64_t at = vdi__get_le(tail + 36, 4);
    uint64_t stop = (uint64_t)end;
    /* zip64: a locator just before, which leads to a wider record (whether or not the values would
     * fit in the narrow one) */
    if (end >= 20 && (status = vdi__zip_at(z, (uint64_t)end - 20, tail, 20, err)) < 0)
        return status;
    if (end >= 20 && vdi__get_le(tail, 4) == 0x07064b50) {
        uint64_t wide_at = vdi__get_le(tail + 8, 8);
        if ((status = vdi__zip_at(z, wide_at, wide, 56, err)) < 0) return status;
        if (vdi__get_le(wide, 4) != 0x06064b50)
            return vdi__zip_bad(z, "its zip64 end record is not where it should be", err);
        disk = vdi__get_le(wide + 16, 4) | vdi__get_le(wide + 20, 4);
        count = vdi__get_le(wide + 32, 8);
        length = vdi__get_le(wide + 40, 8);
        at = vdi__get_le(wide + 48, 8);
        stop = wide_at;
    }
    if (disk) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_zip_open", z->reader.name,
                             "an archive on several disks");
    }
    if (length > stop || at != stop - length)
        return vdi__zip_bad(z, "its directory is not where it should be", err);
    if (count > length / 46) return vdi__zip_bad(z, "its directory is cut short", err);
    if (!vdi__reader_seek(&z->reader, (int64_t)at))
        return vdi__io_error(err, VDI_ERR_IO, "vdi_zip_open", z->reader.name, "cannot seek");
    if ((status = vdi__read_block(&z->reader, a, (size_t)length, "the directory", &block, err)) < 0)
        return status;
    z->member = (vdi_zip_member *)vdi_arena_calloc(&z->arena,
                                                   vdi_mul_size((size_t)count, sizeof *z->member));
    if (!z->member) {
        status = vdi__io_error(err, VDI_ERR_MEMORY, "vdi_zip_open", z->reader.name,
                               "no memory for the directory");
    } else {
        z->count = (int64_t)count;
        status = vdi__zip_members(z, (const uint8_t *)block, (size_t)length, at, err);
    }
    vdi_free(a, block, (size_t)length);
    if (status < 0) return status;

    const void **order =
        (const void **)vdi_arena_alloc(&z->arena, vdi_mul_size((size_t)count, sizeof *order));
    if (!order) {
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_zip_open", z->reader.name,
                             "no memory for the directory");
    }
    for (int64_t i = 0; i < z->count; i++)
        order[i] = &z->member[i];
    vdi__sort(order, z->count, vdi__member_before);
    for (int64_t i = 0; i + 1 < z->count; i++) {
        vdi_zip_member *m = &z->member[(const vdi_zip_member *)order[i] - z->member];
        m->limit = ((const vdi_zip_member *)order[i + 1])->offset;
        if (m->limit - m->offset < 30 + (int64_t)strlen(m->name) + m->packed) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_open", m->label,
                                 "two members of the archive overlap");
        }
    }
    vdi__sort(order, z->count, vdi__member_name_before);
    for (int64_t i = 0; i + 1 < z->count; i++) {
        if (!vdi__member_name_before(order[i], order[i + 1])) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_open",
                                 ((const vdi_zip_member *)order[i])->label,
                                 "two members of the archive have one name");
        }
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_zip_open(vdi_zip *zip, vdi_reader r, const vdi_allocator *a,
                                 vdi_error *err) {
    vdi_status status = VDI_OK;
    memset(zip, 0, sizeof *zip);
    zip->reader = r;
    vdi_arena_init(&zip->arena, a, 4096);
    if (r.read_fn && (!r.seek_fn || r.size <= 0)) {
        size_t size = 0;
        status =
            vdi__read_all(&zip->reader, a, SIZE_MAX / 2, &zip->whole, &size, &zip->whole_size, err);
        if (status == VDI_OK) zip->reader = vdi_reader_memory(zip->whole, size, r.name);
    }
    if (status == VDI_OK) status = vdi__zip_directory(zip, a, err);
    if (status < 0) vdi_zip_close(zip);
    return status;
}

VDI__DEF void vdi_zip_close(vdi_zip *zip) {
    if (zip->open) vdi_free(&zip->arena.allocator, zip->open, sizeof *zip->open);
    vdi_free(&zip->arena.allocator, zip->whole, zip->whole_size);
    vdi_arena_free(&zip->arena);
    zip->open = NULL;
    zip->whole = NULL;
    zip->member = NULL;
    zip->count = 0;
}

VDI__DEF int64_t vdi_zip_find(const vdi_zip *zip, const char *name) {
    for (int64_t i = 0; i < zip->count; i++)
        if (strcmp(zip->member[i].name, name) == 0) return i;
    return -1;
}

VDI__DEF vdi_status vdi_zip_enter(vdi_zip *zip, int64_t i, vdi_reader *member, vdi_error *err) {
    uint8_t head[30];
    vdi_status status;
    if (i < 0 || i >= zip->count || zip->open) {
        return vdi__io_error(err, zip->open ? VDI_ERR_STATE : VDI_ERR_ARGUMENT, "vdi_zip_enter",
                             zip->reader.name,
                             zip->open ? "another member is open" : "no such member");
    }
    const vdi_zip_member *m = &zip->member[i];
    if (m->flags & 1) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_zip_enter", m->label,
                             "the member is encrypted");
    }
    if (m->method != 0 && m->method != 8) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_zip_enter", m->label,
                             "compression method %d, expected 0 (stored) or 8 (deflate)",
                             m->method);
    }
    if ((status = vdi__zip_at(zip, (uint64_t)m->offset, head, 30, err)) < 0) return status;
    int64_t data =
        m->offset + 30 + (int64_t)vdi__get_le(head + 26, 2) + (int64_t)vdi__get_le(head + 28, 2);
    if (vdi__get_le(head, 4) != 0x04034b50 || vdi__get_le(head + 8, 2) != m->method ||
        vdi__get_le(head + 26, 2) != strlen(m->name) || data > m->limit ||
        m->packed > m->limit - data) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_enter", m->label,
                             "the member's own header contradicts the directory");
    }
    vdi__unpack *u = (vdi__unpack *)vdi_alloc(&zip->arena.allocator, sizeof *u);
    if (!u)
        return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_zip_enter", m->label, "no memory to unpack");
    memset(u, 0, sizeof *u);
    vdi__crc_begin(&u->crc);
    u->in = &zip->reader;
    u->info = m;
    u->packed_left = m->packed;
    zip->open = u;
    if (!vdi__reader_seek(&zip->reader, data)) u->why = "the archive cannot be read";
    memset(member, 0, sizeof *member);
    member->read_fn = vdi__unpack_read;
    member->user = u;
    member->name = m->label;
    /* what a deflated member claims is not known before it has come */
    member->size = m->method == 0 ? m->size : 0;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_zip_leave(vdi_zip *zip, vdi_error *err) {
    vdi__unpack *u = zip->open;
    vdi_status status = VDI_OK;
    uint8_t more;
    if (!u) {
        return vdi__io_error(err, VDI_ERR_STATE, "vdi_zip_leave", zip->reader.name,
                             "no member is open");
    }
    const vdi_zip_member *m = u->info;
    if (!u->why && vdi__unpack_read(&more, 1, u) > 0)
        (void)vdi__unpack_fail(u, "it holds more than was read");
    if (!u->why && u->produced < m->size) u->why = "it unpacks to less than its size";
    if (!u->why && m->method == 8 && (u->packed_left || u->in_at < u->in_end || u->bit_count >= 8))
        u->why = "it holds more than it unpacks";
    if (u->why) {
        status = vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_leave", m->label, "damaged member: %s",
                               u->why);
    } else if (u->crc.value != m->crc) {
        status =
            vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_leave", m->label,
                          "damaged member: its CRC-32 is %x, expected %x", u->crc.value, m->crc);
    }
    vdi_free(&zip->arena.allocator, u, sizeof *u);
    zip->open = NULL;
    return status;
}

/* ---- writing: stored members, whose CRC and size are known before their data ---- */

VDI__DEF void vdi_zip_begin(vdi_zip_writer *z, vdi_writer *out, const vdi_allocator *a) {
    z->out = out;
    z->count = 0;
    z->bad_name = false;
    z->start = out->written;
    vdi_buffer_init(&z->directory, a);
    vdi_writer_to_buffer(&z->entry, &z->directory);
}

/* The fields that a local header and a directory entry share; dates are fixed, so that equal data
 * make equal files. */
VDI__FN void vdi__zip_header(vdi_writer *w, bool local, const char *name, uint64_t size,
                             uint32_t crc, uint64_t offset) {
    uint8_t h[46 + 28], *p = h;
    const uint64_t most = 0xFFFFFFFF;
    bool wide = size >= most || (!local && offset >= most);
    size_t fixed = local ? 30 : 46, extra = wide ? (local ? 20 : 28) : 0, length = strlen(name);
    memset(h, 0, sizeof h);
    vdi__put_le(p, local ? 0x04034b50 : 0x02014b50, 4);
    p += 4;
    if (!local) {
        vdi__put_le(p, 45, 2);
        p += 2;
    }
    vdi__put_le(p, wide ? 45 : 20, 2);
    vdi__put_le(p + 2, 0x0800, 2); /* names are UTF-8 */
    vdi__put_le(p + 8, 0x0021, 2); /* 1 January 1980 */
    vdi__put_le(p + 10, crc, 4);
    vdi__put_le(p + 14, wide ? most : size, 4);
    vdi__put_le(p + 18, wide ? most : size, 4);
    vdi__put_le(p + 22, length, 2);
    vdi__put_le(p + 24, extra, 2);
    if (!local) vdi__put_le(h + 42, wide ? most : offset, 4);
    if (wide) {
        vdi__put_le(h + fixed, 1, 2);
        vdi__put_le(h + fixed + 2, extra - 4, 2);
        vdi__put_le(h + fixed + 4, size, 8);
        vdi__put_le(h + fixed + 12, size, 8);
        if (!local) vdi__put_le(h + fixed + 20, offset, 8);
    }
    vdi_write(w, h, fixed);
    vdi_write(w, name, length);
    vdi_write(w, h + fixed, extra);
}

/* Announce a member; its `size` bytes of that CRC follow from the caller. */
VDI__FN void vdi__zip_announce(vdi_zip_writer *z, const char *name, uint64_t size, uint32_t crc) {
    uint64_t offset = (uint64_t)(z->out->written - z->start);
    if (strlen(name) > 0xFFFF || !vdi__utf8_valid(name)) z->bad_name = true;
    vdi__zip_header(z->out, true, name, size, crc, 0);
    vdi__zip_header(&z->entry, false, name, size, crc, offset);
    z->count++;
}

VDI__DEF void vdi_zip_add(vdi_zip_writer *z, const char *name, const void *data, size_t size) {
    vdi__zip_announce(z, name, size, vdi_crc32(0, data, size));
    vdi_write(z->out, data, size);
}

VDI__DEF vdi_status vdi_zip_end(vdi_zip_writer *z, vdi_error *err) {
    uint8_t e[56 + 20 + 22];
    uint64_t at = (uint64_t)(z->out->written - z->start);
    uint64_t size = (uint64_t)z->entry.written;
    uint64_t count = (uint64_t)z->count;
    bool wide = at >= 0xFFFFFFFF || size >= 0xFFFFFFFF || count >= 0xFFFF;
    vdi_status status = vdi_writer_flush(&z->entry, NULL);
    if (status < 0) {
        status = vdi__io_error(err, VDI_ERR_MEMORY, "vdi_zip_end", z->out->name,
                               "no memory for the directory");
    } else if (z->bad_name) {
        status = vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_zip_end", z->out->name,
                               "a member's name is no UTF-8, or longer than 65535 bytes");
    } else {
        memset(e, 0, sizeof e);
        vdi__put_le(e, 0x06064b50, 4);
        vdi__put_le(e + 4, 44, 8);
        vdi__put_le(e + 12, 45, 2);
        vdi__put_le(e + 14, 45, 2);
        vdi__put_le(e + 24, count, 8);
        vdi__put_le(e + 32, count, 8);
        vdi__put_le(e + 40, size, 8);
        vdi__put_le(e + 48, at, 8);
        vdi__put_le(e + 56, 0x07064b50, 4);
        vdi__put_le(e + 64, at + size, 8);
        vdi__put_le(e + 72, 1, 4);
        vdi__put_le(e + 76, 0x06054b50, 4);
        vdi__put_le(e + 84, VDI__MIN(count, 0xFFFF), 2);
        vdi__put_le(e + 86, VDI__MIN(count, 0xFFFF), 2);
        vdi__put_le(e + 88, VDI__MIN(size, 0xFFFFFFFF), 4);
        vdi__put_le(e + 92, VDI__MIN(at, 0xFFFFFFFF), 4);
        if (size) vdi_write(z->out, z->directory.data, (size_t)size);
        vdi_write(z->out, wide ? e : e + 76, wide ? sizeof e : 22);
        status = vdi_writer_flush(z->out, err);
    }
    vdi_buffer_free(&z->directory);
    return status;
}
#endif
