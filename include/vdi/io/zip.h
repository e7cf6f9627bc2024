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
#include "inflate.h"
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
 *  VDI_ERR_FORMAT if it is no valid archive. Allocates; pair with vdi_zip_close (also harmless
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

/* Signatures, and the length of what they begin as far as it is fixed (APPNOTE 4.3). */
enum {
    VDI__ZIP_LOCAL = 0x04034b50,
    VDI__ZIP_ENTRY = 0x02014b50,
    VDI__ZIP_END = 0x06054b50,
    VDI__ZIP_WIDE_END = 0x06064b50,
    VDI__ZIP_LOCATOR = 0x07064b50,
    VDI__ZIP_LOCAL_SIZE = 30,
    VDI__ZIP_ENTRY_SIZE = 46,
    VDI__ZIP_END_SIZE = 22,
    VDI__ZIP_WIDE_END_SIZE = 56,
    VDI__ZIP_LOCATOR_SIZE = 20,
    VDI__ZIP_COMMENT_MAX = 65535,
    VDI__ZIP_STORED = 0,
    VDI__ZIP_DEFLATED = 8
};
/* In a field of 4 bytes: the value stands in the zip64 part. */
#define VDI__ZIP_ELSEWHERE ((uint64_t)0xFFFFFFFF)

/* ---- a member that is being read ---- */

typedef struct vdi__unpack {
    vdi__inflate packed;
    const vdi_zip_member *info;
    int64_t produced;
    vdi__crc crc;
} vdi__unpack;

VDI__FN int64_t vdi__unpack_read(void *buffer, size_t size, void *user) {
    vdi__unpack *u = (vdi__unpack *)user;
    vdi__inflate *s = &u->packed;
    int64_t got;
    if (s->why) return -1;
    if (u->info->method == VDI__ZIP_DEFLATED) {
        got = (int64_t)vdi__inflate_take(s, (uint8_t *)buffer, size);
    } else {
        got = vdi_read(s->in, buffer, (size_t)VDI__MIN((uint64_t)size, (uint64_t)s->packed_left));
        if (got < 0)
            s->why = "the archive cannot be read";
        else
            s->packed_left -= got;
    }
    if (got > 0) {
        vdi__crc_add(&u->crc, buffer, (size_t)got);
        u->produced += got;
    }
    if (u->produced > u->info->size) (void)vdi__inflate_fail(s, "it unpacks to more than its size");
    return s->why ? -1 : got;
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
                         "not a valid zip archive: %s", what);
}

VDI__FN vdi_status vdi__zip_at(vdi_zip *z, uint64_t offset, void *buffer, size_t size,
                               vdi_error *err) {
    if (offset > (uint64_t)z->reader.size || size > (uint64_t)z->reader.size - offset)
        return vdi__zip_bad(z, "an offset points beyond its end", err);
    if (!vdi__reader_seek(&z->reader, (int64_t)offset))
        return vdi__io_error(err, VDI_ERR_IO, "vdi_zip_open", z->reader.name, "cannot seek");
    return vdi__read_exact(&z->reader, buffer, size, "the archive", err);
}

/* An entry of the directory as it is read. */
typedef struct vdi__zip_entry {
    uint64_t packed, full, offset;
    size_t name, size; /* bytes of its name; of all of it */
} vdi__zip_entry;

/* The zip64 part: the values that do not fit in their fields, in this order. */
VDI__FN void vdi__zip_wide_values(vdi__zip_entry *e, const uint8_t *v, const uint8_t *stop) {
    uint64_t *value[3];
    value[0] = &e->full;
    value[1] = &e->packed;
    value[2] = &e->offset;
    for (int i = 0; i < 3; i++) {
        if (*value[i] != VDI__ZIP_ELSEWHERE || stop - v < 8) continue;
        *value[i] = vdi__get_le(v, 8);
        v += 8;
    }
}

/* The entry at p, of which `left` bytes are there; false if it is cut short. */
VDI__FN bool vdi__zip_entry_read(vdi__zip_entry *e, const uint8_t *p, size_t left) {
    if (left < VDI__ZIP_ENTRY_SIZE || vdi__get_le(p, 4) != VDI__ZIP_ENTRY) return false;
    e->name = (size_t)vdi__get_le(p + 28, 2);
    const size_t extra = (size_t)vdi__get_le(p + 30, 2);
    e->size = VDI__ZIP_ENTRY_SIZE + e->name + extra + (size_t)vdi__get_le(p + 32, 2);
    if (left < e->size) return false;
    e->packed = vdi__get_le(p + 20, 4);
    e->full = vdi__get_le(p + 24, 4);
    e->offset = vdi__get_le(p + 42, 4);
    const uint8_t *at = p + VDI__ZIP_ENTRY_SIZE + e->name, *end = at + extra;
    while (end - at >= 4) {
        const size_t n = (size_t)vdi__get_le(at + 2, 2);
        if ((size_t)(end - at) - 4 < n) break;
        if (vdi__get_le(at, 2) == 1) vdi__zip_wide_values(e, at + 4, at + 4 + n);
        at += 4 + n;
    }
    return true;
}

/* Can an entry be true? */
VDI__FN vdi_status vdi__zip_entry_check(const vdi_zip *z, const vdi_zip_member *m,
                                        const vdi__zip_entry *e, uint64_t directory_at,
                                        vdi_error *err) {
    if (strlen(m->name) != e->name) return vdi__zip_bad(z, "a member's name holds a NUL", err);
    if (e->offset > directory_at || e->packed > directory_at ||
        e->offset + VDI__ZIP_LOCAL_SIZE + e->name + e->packed > directory_at) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_open", m->label,
                             "%llu bytes at offset %llu lie beyond the archive's %llu",
                             (unsigned long long)e->packed, (unsigned long long)e->offset,
                             (unsigned long long)directory_at);
    }
    /* deflate packs 1032 bytes into one at best */
    if ((m->method == VDI__ZIP_STORED && e->full != e->packed) ||
        (m->method == VDI__ZIP_DEFLATED && e->full / 1032 > e->packed)) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_open", m->label,
                             "%llu bytes are said to unpack to %llu, which is impossible",
                             (unsigned long long)e->packed, (unsigned long long)e->full);
    }
    if (e->full > (uint64_t)INT64_MAX)
        return vdi__zip_bad(z, "a member's size is beyond reason", err);
    return VDI_OK;
}

/* "archive:name" in the arena, for messages; NULL when memory is out. */
VDI__FN char *vdi__zip_label(vdi_zip *z, const uint8_t *name, size_t length, size_t *prefix) {
    const char *archive = z->reader.name ? z->reader.name : "";
    *prefix = strlen(archive) + (*archive != 0);
    char *label = (char *)vdi_arena_alloc(&z->arena, *prefix + length + 1);
    if (!label) return NULL;
    memcpy(label, archive, *prefix);
    if (*prefix) label[*prefix - 1] = ':';
    memcpy(label + *prefix, name, length);
    label[*prefix + length] = 0;
    return label;
}

/* Members from the bytes of the directory. */
VDI__FN vdi_status vdi__zip_members(vdi_zip *z, const uint8_t *p, size_t size,
                                    uint64_t directory_at, vdi_error *err) {
    for (int64_t i = 0; i < z->count; i++) {
        vdi_zip_member *m = &z->member[i];
        vdi__zip_entry e;
        size_t prefix;
        if (!vdi__zip_entry_read(&e, p, size))
            return vdi__zip_bad(z, "its directory is cut short", err);
        char *label = vdi__zip_label(z, p + VDI__ZIP_ENTRY_SIZE, e.name, &prefix);
        if (!label) {
            return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_zip_open", z->reader.name,
                                 "no memory for the directory");
        }
        m->label = label;
        m->name = label + prefix;
        m->flags = (uint16_t)vdi__get_le(p + 8, 2);
        m->method = (uint16_t)vdi__get_le(p + 10, 2);
        m->crc = (uint32_t)vdi__get_le(p + 16, 4);
        const vdi_status status = vdi__zip_entry_check(z, m, &e, directory_at, err);
        if (status < 0) return status;
        m->size = (int64_t)e.full;
        m->packed = (int64_t)e.packed;
        m->offset = (int64_t)e.offset;
        m->limit = (int64_t)directory_at;
        p += e.size;
        size -= e.size;
    }
    if (size) return vdi__zip_bad(z, "its directory is longer than its members need", err);
    return VDI_OK;
}

/* Where the end record begins. It is last but for a comment of up to 65535 bytes; the usual case,
 * no comment, comes first. */
VDI__FN vdi_status vdi__zip_find_end(vdi_zip *z, const vdi_allocator *a, int64_t *end,
                                     vdi_error *err) {
    const int64_t size = z->reader.size;
    const size_t most = (size_t)VDI__MIN(size, VDI__ZIP_END_SIZE + VDI__ZIP_COMMENT_MAX);
    *end = -1;
    if (size < VDI__ZIP_END_SIZE) return vdi__zip_bad(z, "it is too short", err);
    for (size_t length = VDI__ZIP_END_SIZE;; length = most) {
        void *block;
        if (!vdi__reader_seek(&z->reader, size - (int64_t)length))
            return vdi__io_error(err, VDI_ERR_IO, "vdi_zip_open", z->reader.name, "cannot seek");
        const vdi_status status =
            vdi__read_block(&z->reader, a, length, "the archive's end", &block, err);
        if (status < 0) return status;
        const uint8_t *p = (const uint8_t *)block;
        for (size_t i = length - VDI__ZIP_END_SIZE + 1; i-- > 0 && *end < 0;) {
            const size_t comment = length - VDI__ZIP_END_SIZE - i;
            if (vdi__get_le(p + i, 4) == VDI__ZIP_END && vdi__get_le(p + i + 20, 2) == comment)
                *end = size - (int64_t)(length - i);
        }
        vdi_free(a, block, length);
        if (*end >= 0) return VDI_OK;
        if (length == most) return vdi__zip_bad(z, "it has no end record", err);
    }
}

/* Where the directory is, and how much it holds. */
typedef struct vdi__zip_place {
    uint64_t at, length, count, disk;
    uint64_t stop; /* where it has to end */
} vdi__zip_place;

/* From the end record or, where a locator stands just before it, from the wider one of zip64
 * (whether or not the values would fit in the narrow one). */
VDI__FN vdi_status vdi__zip_locate(vdi_zip *z, int64_t end, vdi__zip_place *d, vdi_error *err) {
    uint8_t e[VDI__ZIP_END_SIZE], locator[VDI__ZIP_LOCATOR_SIZE], wide[VDI__ZIP_WIDE_END_SIZE];
    vdi_status status = vdi__zip_at(z, (uint64_t)end, e, sizeof e, err);
    if (status < 0) return status;
    d->disk = vdi__get_le(e + 4, 2) | vdi__get_le(e + 6, 2);
    d->count = vdi__get_le(e + 10, 2);
    d->length = vdi__get_le(e + 12, 4);
    d->at = vdi__get_le(e + 16, 4);
    d->stop = (uint64_t)end;
    if (end < VDI__ZIP_LOCATOR_SIZE) return VDI_OK;
    status = vdi__zip_at(z, (uint64_t)end - sizeof locator, locator, sizeof locator, err);
    if (status < 0 || vdi__get_le(locator, 4) != VDI__ZIP_LOCATOR) return status;
    d->stop = vdi__get_le(locator + 8, 8);
    status = vdi__zip_at(z, d->stop, wide, sizeof wide, err);
    if (status < 0) return status;
    if (vdi__get_le(wide, 4) != VDI__ZIP_WIDE_END)
        return vdi__zip_bad(z, "its zip64 end record is not where it should be", err);
    d->disk = vdi__get_le(wide + 16, 4) | vdi__get_le(wide + 20, 4);
    d->count = vdi__get_le(wide + 32, 8);
    d->length = vdi__get_le(wide + 40, 8);
    d->at = vdi__get_le(wide + 48, 8);
    return VDI_OK;
}

VDI__FN vdi_status vdi__zip_place_check(const vdi_zip *z, const vdi__zip_place *d, vdi_error *err) {
    if (d->disk) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, "vdi_zip_open", z->reader.name,
                             "an archive on several disks");
    }
    if (d->length > d->stop || d->at != d->stop - d->length)
        return vdi__zip_bad(z, "its directory is not where it should be", err);
    if (d->count > d->length / VDI__ZIP_ENTRY_SIZE)
        return vdi__zip_bad(z, "its directory is cut short", err);
    if (d->length > SIZE_MAX / 2)
        return vdi__zip_bad(z, "its directory is beyond the memory of this machine", err);
    return VDI_OK;
}

/* No two members share bytes or a name. */
VDI__FN vdi_status vdi__zip_disjoint(vdi_zip *z, vdi_error *err) {
    const void **order =
        (const void **)vdi_arena_alloc(&z->arena, vdi_array_size(sizeof *order, z->count, 1, 1));
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
        if (m->limit - m->offset < VDI__ZIP_LOCAL_SIZE + (int64_t)strlen(m->name) + m->packed) {
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_open", m->label,
                                 "two members of the archive overlap");
        }
    }
    vdi__sort(order, z->count, vdi__member_name_before);
    for (int64_t i = 0; i + 1 < z->count; i++) {
        if (vdi__member_name_before(order[i], order[i + 1])) continue;
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_open",
                             ((const vdi_zip_member *)order[i])->label,
                             "two members of the archive have one name");
    }
    return VDI_OK;
}

VDI__FN vdi_status vdi__zip_directory(vdi_zip *z, const vdi_allocator *a, vdi_error *err) {
    vdi__zip_place d;
    void *block = NULL;
    int64_t end;
    vdi_status status = vdi__zip_find_end(z, a, &end, err);
    if (status >= 0) status = vdi__zip_locate(z, end, &d, err);
    if (status >= 0) status = vdi__zip_place_check(z, &d, err);
    if (status < 0) return status;
    if (!vdi__reader_seek(&z->reader, (int64_t)d.at))
        return vdi__io_error(err, VDI_ERR_IO, "vdi_zip_open", z->reader.name, "cannot seek");
    const size_t length = (size_t)d.length;
    status = vdi__read_block(&z->reader, a, length, "the directory", &block, err);
    if (status < 0) return status;
    z->member = (vdi_zip_member *)vdi_arena_calloc(
        &z->arena, vdi_mul_size((size_t)d.count, sizeof *z->member));
    if (!z->member) {
        status = vdi__io_error(err, VDI_ERR_MEMORY, "vdi_zip_open", z->reader.name,
                               "no memory for the directory");
    } else {
        z->count = (int64_t)d.count;
        status = vdi__zip_members(z, (const uint8_t *)block, length, d.at, err);
    }
    vdi_free(a, block, length);
    return status < 0 ? status : vdi__zip_disjoint(z, err);
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

/* Where the data of member m begin; its own header has to agree with the directory. */
VDI__FN vdi_status vdi__zip_data_at(vdi_zip *zip, const vdi_zip_member *m, int64_t *data,
                                    vdi_error *err) {
    uint8_t head[VDI__ZIP_LOCAL_SIZE];
    const vdi_status status = vdi__zip_at(zip, (uint64_t)m->offset, head, sizeof head, err);
    if (status < 0) return status;
    const uint64_t name = vdi__get_le(head + 26, 2), extra = vdi__get_le(head + 28, 2);
    *data = m->offset + VDI__ZIP_LOCAL_SIZE + (int64_t)(name + extra);
    if (vdi__get_le(head, 4) == VDI__ZIP_LOCAL && vdi__get_le(head + 8, 2) == m->method &&
        name == strlen(m->name) && *data <= m->limit && m->packed <= m->limit - *data)
        return VDI_OK;
    return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_enter", m->label,
                         "the member's own header contradicts the directory");
}

VDI__DEF vdi_status vdi_zip_enter(vdi_zip *zip, int64_t i, vdi_reader *member, vdi_error *err) {
    static const char where[] = "vdi_zip_enter";
    int64_t data;
    if (zip->open) {
        return vdi__io_error(err, VDI_ERR_STATE, where, zip->reader.name, "another member is open");
    }
    if (i < 0 || i >= zip->count)
        return vdi__io_error(err, VDI_ERR_ARGUMENT, where, zip->reader.name, "no such member");
    const vdi_zip_member *m = &zip->member[i];
    if (m->flags & 1)
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, where, m->label, "the member is encrypted");
    if (m->method != VDI__ZIP_STORED && m->method != VDI__ZIP_DEFLATED) {
        return vdi__io_error(err, VDI_ERR_UNSUPPORTED, where, m->label,
                             "compression method %d, expected 0 (stored) or 8 (deflate)",
                             m->method);
    }
    const vdi_status status = vdi__zip_data_at(zip, m, &data, err);
    if (status < 0) return status;
    vdi__unpack *u = (vdi__unpack *)vdi_alloc(&zip->arena.allocator, sizeof *u);
    if (!u) return vdi__io_error(err, VDI_ERR_MEMORY, where, m->label, "no memory to unpack");
    vdi__inflate_begin(&u->packed, &zip->reader, m->packed);
    vdi__crc_begin(&u->crc);
    u->info = m;
    u->produced = 0;
    zip->open = u;
    if (!vdi__reader_seek(&zip->reader, data)) u->packed.why = "the archive cannot be read";
    memset(member, 0, sizeof *member);
    member->read_fn = vdi__unpack_read;
    member->user = u;
    member->name = m->label;
    /* what a deflated member claims is not known before it has come */
    member->size = m->method == VDI__ZIP_STORED ? m->size : 0;
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
    vdi__inflate *s = &u->packed;
    if (!s->why && vdi__unpack_read(&more, 1, u) > 0)
        (void)vdi__inflate_fail(s, "it holds more than was read");
    if (!s->why && u->produced < m->size) s->why = "it unpacks to less than its size";
    if (!s->why && m->method == VDI__ZIP_DEFLATED && vdi__inflate_leftover(s))
        s->why = "it holds more than it unpacks";
    if (s->why) {
        status = vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_leave", m->label, "damaged member: %s",
                               s->why);
    } else if (u->crc.value != m->crc) {
        status = vdi__io_error(err, VDI_ERR_FORMAT, "vdi_zip_leave", m->label,
                               "damaged member: its CRC-32 is %x, expected %x",
                               (unsigned)u->crc.value, (unsigned)m->crc);
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
    uint8_t h[VDI__ZIP_ENTRY_SIZE + 28], *p = h;
    const uint64_t most = VDI__ZIP_ELSEWHERE;
    bool wide = size >= most || (!local && offset >= most);
    const size_t fixed = local ? VDI__ZIP_LOCAL_SIZE : VDI__ZIP_ENTRY_SIZE;
    const size_t extra = wide ? (local ? 20 : 28) : 0, length = strlen(name);
    memset(h, 0, sizeof h);
    vdi__put_le(p, local ? VDI__ZIP_LOCAL : VDI__ZIP_ENTRY, 4);
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

/* The end: the record of zip64, its locator, and the narrow record that is there in any case.
 * Returns where in `e` what is needed begins. */
VDI__FN size_t vdi__zip_end_records(uint8_t *e, size_t size, uint64_t at, uint64_t length,
                                    uint64_t count) {
    uint8_t *locator = e + VDI__ZIP_WIDE_END_SIZE, *end = locator + VDI__ZIP_LOCATOR_SIZE;
    const uint64_t most = VDI__ZIP_ELSEWHERE;
    const bool wide = at >= most || length >= most || count >= 0xFFFF;
    memset(e, 0, size);
    vdi__put_le(e, VDI__ZIP_WIDE_END, 4);
    vdi__put_le(e + 4, VDI__ZIP_WIDE_END_SIZE - 12, 8);
    vdi__put_le(e + 12, 45, 2); /* version 4.5 of the format: zip64 */
    vdi__put_le(e + 14, 45, 2);
    vdi__put_le(e + 24, count, 8);
    vdi__put_le(e + 32, count, 8);
    vdi__put_le(e + 40, length, 8);
    vdi__put_le(e + 48, at, 8);
    vdi__put_le(locator, VDI__ZIP_LOCATOR, 4);
    vdi__put_le(locator + 8, at + length, 8);
    vdi__put_le(locator + 16, 1, 4);
    vdi__put_le(end, VDI__ZIP_END, 4);
    vdi__put_le(end + 8, VDI__MIN(count, 0xFFFF), 2);
    vdi__put_le(end + 10, VDI__MIN(count, 0xFFFF), 2);
    vdi__put_le(end + 12, VDI__MIN(length, most), 4);
    vdi__put_le(end + 16, VDI__MIN(at, most), 4);
    return wide ? 0 : (size_t)(end - e);
}

VDI__DEF vdi_status vdi_zip_end(vdi_zip_writer *z, vdi_error *err) {
    uint8_t e[VDI__ZIP_WIDE_END_SIZE + VDI__ZIP_LOCATOR_SIZE + VDI__ZIP_END_SIZE];
    const uint64_t at = (uint64_t)(z->out->written - z->start);
    const uint64_t length = (uint64_t)z->entry.written;
    vdi_status status = vdi_writer_flush(&z->entry, NULL);
    if (status < 0) {
        status = vdi__io_error(err, VDI_ERR_MEMORY, "vdi_zip_end", z->out->name,
                               "no memory for the directory");
    } else if (z->bad_name) {
        status = vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_zip_end", z->out->name,
                               "a member's name is no UTF-8, or longer than 65535 bytes");
    } else {
        const size_t from = vdi__zip_end_records(e, sizeof e, at, length, (uint64_t)z->count);
        if (length) vdi_write(z->out, z->directory.data, (size_t)length);
        vdi_write(z->out, e + from, sizeof e - from);
        status = vdi_writer_flush(z->out, err);
    }
    vdi_buffer_free(&z->directory);
    return status;
}
#endif
