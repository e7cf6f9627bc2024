/* io/stream.h - where bytes come from and where they go: callbacks, memory, files
 *
 * Do this:
 *     vdi_writer w;
 *     vdi_error err;
 *     if (vdi_writer_open(&w, "notes.txt", &err) < 0) puts(err.message);
 *     vdi_write_format(&w, "%d neurons\n", 12);   no check: the writer keeps its first failure ...
 *     if (vdi_writer_close(&w, &err) < 0) puts(err.message);   ... and tells it here
 *
 * Every loader and saver of io works on a vdi_reader or vdi_writer. Both are plain structs that
 * carry callbacks, so that files may live in an archive, in flash or behind a socket;
 * vdi_reader_open and vdi_writer_open use <stdio.h>, and are absent under VDI_NO_STDIO. Numbers in
 * binary files are little-endian on every machine.
 *
 * With a reader of known size a loader rejects a false header before it allocates; with an unknown
 * size memory grows with the data that arrive. Neither ever allocates more than twice what the
 * stream has delivered or still holds.
 *
 * Does NOT: rename or fsync (ISO C cannot), lock, append, or translate text. A save that fails
 * leaves a partial file.
 * Memory: a writer holds 1 KiB inside itself; readers hold nothing. Errors: VDI_ERR_IO. Threads:
 * one stream, one thread.
 */
#ifndef VDI_IO_STREAM_H
#define VDI_IO_STREAM_H
#include "../core/alloc.h"
#include "../core/config.h"
#include "../core/status.h"
#include "../core/tensor.h"
#include "../core/text.h"

/** A source of bytes. Zero it, set read_fn and user, and what else is known. */
typedef struct vdi_reader {
    /** Read up to `size` bytes; returns how many came, 0 at the end, negative on failure. NULL:
     * `user` is memory of `size` bytes. */
    int64_t (*read_fn)(void *buffer, size_t size, void *user);
    /** Go to `offset` bytes from the start. May be NULL: an archive is then read into memory
     * whole. */
    bool (*seek_fn)(int64_t offset, void *user);
    void *user;       /**< handed to the callbacks */
    const char *name; /**< for messages: the path; may be NULL; must outlive the reader */
    int64_t size;     /**< bytes in all; 0 means unknown (for memory it is exact) */
    int64_t at;       /**< bytes from the start, kept by vdi */
} vdi_reader;

/** A sink of bytes with a small buffer. Start it with vdi_writer_init, vdi_writer_to_buffer or
 * vdi_writer_open. */
typedef struct vdi_writer {
    bool (*write_fn)(const void *data, size_t size, void *user); /**< false on failure; takes all or
                                                                      fails */
    void *user;                                                  /**< handed to the callback */
    const char *name;                                            /**< for messages; may be NULL;
                                                                      must outlive the writer */
    int64_t written;                                             /**< bytes so far, those still in
                                                                      the buffer included */
    bool failed;                                                 /**< once true, later writes do
                                                                      nothing */
    /* private */
    uint32_t fill; /* bytes in the buffer */
    char buffer[1024];
} vdi_writer;

/** Growing memory to write into. */
typedef struct vdi_buffer {
    vdi_allocator allocator; /**< where the memory comes from */
    char *data;              /**< NULL while empty */
    size_t size;             /**< bytes written */
    size_t capacity;         /**< bytes allocated */
} vdi_buffer;

/** A reader of `size` bytes of memory; `name` is for messages. */
VDI_API vdi_reader vdi_reader_memory(const void *data, size_t size, const char *name);
/** Read up to `size` bytes; returns how many came (fewer only at the end), or -1 on failure. */
VDI_API int64_t vdi_read(vdi_reader *r, void *buffer, size_t size);

/** Start a writer. */
VDI_API void vdi_writer_init(vdi_writer *w,
                             bool (*write_fn)(const void *data, size_t size, void *user),
                             void *user, const char *name);
/** Write bytes. */
VDI_API void vdi_write(vdi_writer *w, const void *data, size_t size);
/** Write a string. */
VDI_API void vdi_write_text(vdi_writer *w, const char *text);
/** Write up to 1023 bytes in the formats of vdi_text_format. */
VDI_API void vdi_write_format(vdi_writer *w, const char *format, ...) VDI__PRINTF(2, 3);
/** Write a number with `digits` significant digits, 0: the fewest that read back to the same
 * double. */
VDI_API void vdi_write_number(vdi_writer *w, double x, int digits);
/** Hand the buffer on; VDI_ERR_IO if this or any write before failed. */
VDI_API vdi_status vdi_writer_flush(vdi_writer *w, vdi_error *err);

/** An empty buffer; allocates nothing yet. */
VDI_API void vdi_buffer_init(vdi_buffer *b, const vdi_allocator *a);
/** Start a writer that appends to `b`; it fails when memory is out. */
VDI_API void vdi_writer_to_buffer(vdi_writer *w, vdi_buffer *b);
/** Give its memory back; it is empty again. */
VDI_API void vdi_buffer_free(vdi_buffer *b);

#ifndef VDI_NO_STDIO
/** Open a file to read (pipes too); VDI_ERR_IO with the path and the reason. Close it with
 * vdi_reader_close. */
VDI_API VDI_NODISCARD vdi_status vdi_reader_open(vdi_reader *r, const char *path, vdi_error *err);
/** Close a file that vdi_reader_open opened. */
VDI_API void vdi_reader_close(vdi_reader *r);
/** Create or replace a file. `path` must outlive the writer. */
VDI_API VDI_NODISCARD vdi_status vdi_writer_open(vdi_writer *w, const char *path, vdi_error *err);
/** Flush and close; VDI_ERR_IO if anything since the opening failed (a full disk shows up here). */
VDI_API VDI_NODISCARD vdi_status vdi_writer_close(vdi_writer *w, vdi_error *err);
#endif

#endif /* VDI_IO_STREAM_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_STREAM_C)
#define VDI_IO_STREAM_C

/* "what was expected, what came, in which file": the message, then the end of the name, as much as
 * fits. Names and texts come out of files, so control characters are replaced: a message is one
 * line. */
VDI__FN vdi_status vdi__io_error(vdi_error *err, vdi_status status, const char *where,
                                 const char *name, const char *format, ...) VDI__PRINTF(5, 6);
VDI__FN vdi_status vdi__io_error(vdi_error *err, vdi_status status, const char *where,
                                 const char *name, const char *format, ...) {
    va_list args;
    if (!err) return status;
    va_start(args, format);
    size_t cap = sizeof err->message, n = vdi_text_vformat(err->message, cap - 40, format, args);
    va_end(args);
    if (name && *name) {
        size_t length = strlen(name), room = cap - 1 - n - 8;
        n += vdi_text_copy(err->message + n, cap - n, length > room ? ", in ..." : ", in ");
        n +=
            vdi_text_copy(err->message + n, cap - n, length > room ? name + (length - room) : name);
    }
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)err->message[i] < 32 || err->message[i] == 127) err->message[i] = '?';
    err->status = status;
    (void)vdi_text_copy(err->where, sizeof err->where, where);
    return status;
}

/* ---- reading ---- */

VDI__DEF vdi_reader vdi_reader_memory(const void *data, size_t size, const char *name) {
    vdi_reader r = VDI__ZERO;
    uintptr_t address = (uintptr_t)data; /* read only: no callback writes through `user` */
    r.user = (void *)address;
    r.size = (int64_t)size;
    r.name = name;
    return r;
}

VDI__DEF int64_t vdi_read(vdi_reader *r, void *buffer, size_t size) {
    size_t done = 0;
    if (!r->read_fn) {
        int64_t left = r->size - r->at;
        done = left < 0 ? 0 : VDI__MIN(size, (size_t)left);
        if (done) memcpy(buffer, (const char *)r->user + r->at, done);
    } else {
        while (done < size) {
            int64_t got = r->read_fn((char *)buffer + done, size - done, r->user);
            if (got < 0 || (uint64_t)got > size - done) return -1;
            if (got == 0) break;
            done += (size_t)got;
        }
    }
    r->at += (int64_t)done;
    return (int64_t)done;
}

/* Bytes from here to the end, or -1 where nobody knows. */
VDI__FN int64_t vdi__reader_left(const vdi_reader *r) {
    if (r->read_fn && r->size <= 0) return -1;
    return r->size > r->at ? r->size - r->at : 0;
}

VDI__FN bool vdi__reader_seek(vdi_reader *r, int64_t offset) {
    if (r->read_fn && !(r->seek_fn && r->seek_fn(offset, r->user))) return false;
    r->at = offset;
    return true;
}

VDI__FN vdi_status vdi__read_exact(vdi_reader *r, void *buffer, size_t size, const char *what,
                                   vdi_error *err) {
    int64_t got = vdi_read(r, buffer, size);
    if (got < 0)
        return vdi__io_error(err, VDI_ERR_IO, "vdi_read", r->name, "reading %s failed", what);
    if ((size_t)got < size) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_read", r->name,
                             "%s is cut short: expected %zu bytes, found %zu", what, size,
                             (size_t)got);
    }
    return VDI_OK;
}

/* Move a block of `old_size` bytes into a new one of `size`. */
VDI__FN void *vdi__grow(const vdi_allocator *a, void *p, size_t old_size, size_t size,
                        size_t keep) {
    void *q = vdi_alloc(a, size);
    if (!q) return NULL;
    if (keep) memcpy(q, p, keep);
    if (p) vdi_free(a, p, old_size);
    return q;
}

#define VDI__FIRST_CHUNK ((size_t)1 << 16)

/* `size` bytes into a new block of exactly that size. If the stream's size is known they are asked
 * for at once; if not, the block doubles as data really arrive, so that a false length costs
 * nothing. */
VDI__FN vdi_status vdi__read_block(vdi_reader *r, const vdi_allocator *a, size_t size,
                                   const char *what, void **out, vdi_error *err) {
    int64_t left = vdi__reader_left(r);
    size_t have = 0, capacity = left >= 0 ? size : VDI__MIN(size, VDI__FIRST_CHUNK);
    void *p;
    *out = NULL;
    if (left >= 0 && (uint64_t)left < size) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_read", r->name,
                             "%s is cut short: expected %zu bytes, found %lld", what, size,
                             (long long)left);
    }
    p = vdi_alloc(a, capacity);
    while (p) {
        int64_t got = vdi_read(r, (char *)p + have, capacity - have);
        if (got < 0 || (size_t)got < capacity - have) {
            vdi_free(a, p, capacity);
            if (got < 0) {
                return vdi__io_error(err, VDI_ERR_IO, "vdi_read", r->name, "reading %s failed",
                                     what);
            }
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_read", r->name,
                                 "%s is cut short: expected %zu bytes, found %zu", what, size,
                                 have + (size_t)got);
        }
        have = capacity;
        if (have == size) {
            *out = p;
            return VDI_OK;
        }
        size_t next = have > size / 2 ? size : have * 2;
        void *q = vdi__grow(a, p, capacity, next, have);
        if (!q) vdi_free(a, p, capacity);
        p = q;
        capacity = next;
    }
    return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_read", r->name, "no memory for %s of %zu bytes",
                         what, size);
}

/* Everything up to the end, at most `limit` bytes, as a block of `*capacity` bytes of which `*size`
 * are filled. */
VDI__FN vdi_status vdi__read_all(vdi_reader *r, const vdi_allocator *a, size_t limit, char **out,
                                 size_t *size, size_t *capacity, vdi_error *err) {
    int64_t left = vdi__reader_left(r);
    size_t have = 0;
    size_t cap = VDI__FIRST_CHUNK;
    if (left >= 0) cap = (uint64_t)left < limit ? (size_t)left + 1 : limit;
    char *p;
    *out = NULL;
    if (left >= 0 && (uint64_t)left > limit) {
        return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_read", r->name,
                             "%lld bytes, at most %zu are read", (long long)left, limit);
    }
    p = (char *)vdi_alloc(a, cap);
    while (p) {
        int64_t got = vdi_read(r, p + have, cap - have);
        if (got < 0 || have + (size_t)got > limit) {
            vdi_free(a, p, cap);
            if (got < 0) {
                return vdi__io_error(err, VDI_ERR_IO, "vdi_read", r->name,
                                     "reading failed after %zu bytes", have);
            }
            return vdi__io_error(err, VDI_ERR_FORMAT, "vdi_read", r->name, "more than %zu bytes",
                                 limit);
        }
        have += (size_t)got;
        if (have < cap) {
            *out = p;
            *size = have;
            *capacity = cap;
            return VDI_OK;
        }
        size_t next = vdi_mul_size(cap, 2);
        char *q = (char *)vdi__grow(a, p, cap, next, have);
        if (!q) vdi_free(a, p, cap);
        p = q;
        cap = next;
    }
    return vdi__io_error(err, VDI_ERR_MEMORY, "vdi_read", r->name, "no memory for %zu bytes", cap);
}

/* ---- writing ---- */

VDI__DEF void vdi_writer_init(vdi_writer *w,
                              bool (*write_fn)(const void *data, size_t size, void *user),
                              void *user, const char *name) {
    w->write_fn = write_fn;
    w->user = user;
    w->name = name;
    w->written = 0;
    w->failed = false;
    w->fill = 0;
}

VDI__FN void vdi__writer_drain(vdi_writer *w) {
    if (w->fill && !w->failed && !w->write_fn(w->buffer, w->fill, w->user)) w->failed = true;
    w->fill = 0;
}

VDI__DEF void vdi_write(vdi_writer *w, const void *data, size_t size) {
    if (w->failed || !size) return;
    if (size > sizeof w->buffer - w->fill) vdi__writer_drain(w);
    if (size < sizeof w->buffer) {
        memcpy(w->buffer + w->fill, data, size);
        w->fill += (uint32_t)size;
    } else if (!w->failed && !w->write_fn(data, size, w->user)) {
        w->failed = true;
    }
    w->written += (int64_t)size;
}

VDI__DEF void vdi_write_text(vdi_writer *w, const char *text) { vdi_write(w, text, strlen(text)); }

VDI__DEF void vdi_write_format(vdi_writer *w, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    size_t n = vdi_text_vformat(text, sizeof text, format, args);
    va_end(args);
    vdi_write(w, text, n);
}

VDI__DEF void vdi_write_number(vdi_writer *w, double x, int digits) {
    char text[VDI_TEXT_NUMBER];
    vdi_write(w, text, vdi_text_double(text, x, digits));
}

VDI__DEF vdi_status vdi_writer_flush(vdi_writer *w, vdi_error *err) {
    vdi__writer_drain(w);
    if (w->failed) {
        return vdi__io_error(err, VDI_ERR_IO, "vdi_write", w->name,
                             "writing failed after about %lld bytes (is the disk full?)",
                             (long long)w->written);
    }
    return VDI_OK;
}

VDI__DEF void vdi_buffer_init(vdi_buffer *b, const vdi_allocator *a) {
    b->allocator = vdi_allocator_defaults(a);
    b->data = NULL;
    b->size = b->capacity = 0;
}

VDI__FN bool vdi__buffer_write(const void *data, size_t size, void *user) {
    vdi_buffer *b = (vdi_buffer *)user;
    size_t need = vdi_add_size(b->size, size);
    if (need > b->capacity) {
        size_t capacity = VDI__MAX(need, VDI__MAX(vdi_mul_size(b->capacity, 2), (size_t)4096));
        char *p = (char *)vdi__grow(&b->allocator, b->data, b->capacity, capacity, b->size);
        if (!p) return false;
        b->data = p;
        b->capacity = capacity;
    }
    memcpy(b->data + b->size, data, size);
    b->size = need;
    return true;
}

VDI__DEF void vdi_writer_to_buffer(vdi_writer *w, vdi_buffer *b) {
    vdi_writer_init(w, vdi__buffer_write, b, "memory");
}

VDI__DEF void vdi_buffer_free(vdi_buffer *b) {
    vdi_free(&b->allocator, b->data, b->capacity);
    b->data = NULL;
    b->size = b->capacity = 0;
}

/* Takes everything and keeps nothing: measures what a writer would write. */
VDI__FN bool vdi__null_write(const void *data, size_t size, void *user) {
    (void)data;
    (void)size;
    (void)user;
    return true;
}

/* ---- files ---- */
#ifndef VDI_NO_STDIO
#include <errno.h>
#include <stdio.h>

VDI__FN int64_t vdi__file_read(void *buffer, size_t size, void *user) {
    size_t got = fread(buffer, 1, size, (FILE *)user);
    return got < size && ferror((FILE *)user) ? -1 : (int64_t)got;
}

VDI__FN bool vdi__file_write(const void *data, size_t size, void *user) {
    return fwrite(data, 1, size, (FILE *)user) == size;
}

VDI__FN bool vdi__file_seek(int64_t offset, void *user) {
#ifdef _WIN32
    return _fseeki64((FILE *)user, offset, SEEK_SET) == 0;
#else
    return offset <= LONG_MAX && fseek((FILE *)user, (long)offset, SEEK_SET) == 0;
#endif
}

/* 0 where it cannot be told: pipes, devices, and folders (which fopen opens, and which end at
 * LONG_MAX). */
VDI__FN int64_t vdi__file_size(FILE *f) {
    int64_t size = 0;
#ifdef _WIN32
    if (_fseeki64(f, 0, SEEK_END) == 0) size = _ftelli64(f);
#else
    if (fseek(f, 0, SEEK_END) == 0) size = ftell(f);
#endif
    if (size > 0 && !vdi__file_seek(0, f)) size = 0;
    return size < 0 || size == (int64_t)LONG_MAX ? 0 : size;
}

/* Why a file cannot be opened. Not strerror: that speaks the language of the locale, and may share
 * its text between threads. */
VDI__FN const char *vdi__errno_text(int number) {
    static const struct {
        int number;
        const char *text;
    } known[] = {
#ifdef ENOENT
        {ENOENT, "there is no such file or folder"},
#endif
#ifdef EACCES
        {EACCES, "permission denied"},
#endif
#ifdef EISDIR
        {EISDIR, "it is a folder"},
#endif
#ifdef ENOTDIR
        {ENOTDIR, "part of its path is no folder"},
#endif
#ifdef ENOSPC
        {ENOSPC, "the disk is full"},
#endif
#ifdef EROFS
        {EROFS, "the disk is read-only"},
#endif
#ifdef EMFILE
        {EMFILE, "too many files are open"},
#endif
#ifdef ENAMETOOLONG
        {ENAMETOOLONG, "its name is too long"},
#endif
        {0, "it cannot be opened"},
    };
    size_t i = 0;
    while (known[i].number && known[i].number != number)
        i++;
    return known[i].text;
}

#ifdef _WIN32
/* fopen takes a name in the code page of the process: UTF-8 goes by UTF-16. What is not UTF-8, or
 * longer than Windows lets a path be, is left to it. */
VDI__FN FILE *vdi__fopen(const char *path, const char *mode) {
    enum { LONGEST = 1024 };
    wchar_t name[LONGEST], how[8];
    size_t n = 0, bytes = strlen(path), length;
    for (size_t i = 0; i < bytes; i += length) {
        length = vdi__utf8_length(path + i, bytes - i);
        if (length == 0 || n + 3 > LONGEST) return fopen(path, mode);
        const uint32_t c = vdi__utf8_get(path + i, length);
        if (c > 0xFFFF) name[n++] = (wchar_t)(0xD7C0 + (c >> 10));
        name[n++] = (wchar_t)(c > 0xFFFF ? 0xDC00 + (c & 0x3FF) : c);
    }
    name[n] = 0;
    for (n = 0; mode[n] && n < 7; n++)
        how[n] = (wchar_t)mode[n];
    how[n] = 0;
    return _wfopen(name, how);
}
#else
VDI__FN FILE *vdi__fopen(const char *path, const char *mode) { return fopen(path, mode); }
#endif

VDI__FN vdi_status vdi__open(FILE **f, const char *path, const char *mode, const char *what,
                             vdi_error *err) {
    errno = 0;
    *f = path && *path ? vdi__fopen(path, mode) : NULL;
    if (*f) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_IO, "vdi_open", "cannot %s %s: %s", what,
                         path && *path ? path : "a file without a name", vdi__errno_text(errno));
}

VDI__DEF vdi_status vdi_reader_open(vdi_reader *r, const char *path, vdi_error *err) {
    FILE *f;
    vdi_status status = vdi__open(&f, path, "rb", "read", err);
    memset(r, 0, sizeof *r);
    if (status < 0) return status;
    r->read_fn = vdi__file_read;
    r->user = f;
    r->name = path;
    r->size = vdi__file_size(f);
    r->seek_fn = r->size > 0 ? vdi__file_seek : NULL;
    return VDI_OK;
}

VDI__DEF void vdi_reader_close(vdi_reader *r) {
    if (r->read_fn == vdi__file_read && r->user) fclose((FILE *)r->user);
    r->user = NULL;
}

VDI__DEF vdi_status vdi_writer_open(vdi_writer *w, const char *path, vdi_error *err) {
    FILE *f;
    vdi_status status = vdi__open(&f, path, "wb", "write", err);
    vdi_writer_init(w, vdi__file_write, f, path);
    w->failed = status < 0;
    return status;
}

VDI__DEF vdi_status vdi_writer_close(vdi_writer *w, vdi_error *err) {
    vdi__writer_drain(w);
    if (w->user && fclose((FILE *)w->user) != 0) w->failed = true;
    w->user = NULL;
    return vdi_writer_flush(w, err);
}

/* What every loader and saver by path does with the file. Of two failures the first is told. */
typedef vdi_status vdi__load_fn(vdi_reader *r, const vdi_allocator *a, void *out, vdi_error *err);
typedef vdi_status vdi__save_fn(vdi_writer *w, const void *what, int64_t count, vdi_error *err);

VDI__FN vdi_status vdi__load_file(const char *path, vdi__load_fn *read, const vdi_allocator *a,
                                  void *out, vdi_error *err) {
    vdi_reader r;
    vdi_status status = vdi_reader_open(&r, path, err);
    if (status < 0) return status;
    status = read(&r, a, out, err);
    vdi_reader_close(&r);
    return status;
}

VDI__FN vdi_status vdi__save_file(const char *path, vdi__save_fn *write, const void *what,
                                  int64_t count, vdi_error *err) {
    vdi_writer w;
    vdi_error first;
    vdi_status status = vdi_writer_open(&w, path, err);
    if (status < 0) return status;
    status = write(&w, what, count, &first);
    const vdi_status closed = vdi_writer_close(&w, err);
    if (status < 0 && err) *err = first;
    return status < 0 ? status : closed;
}
#endif

/* ---- what several formats need ---- */

VDI__FN uint64_t vdi__get_le(const uint8_t *p, int bytes) {
    uint64_t x = 0;
    for (int i = bytes - 1; i >= 0; i--)
        x = x << 8 | p[i];
    return x;
}

VDI__FN void vdi__put_le(uint8_t *p, uint64_t x, int bytes) {
    for (int i = 0; i < bytes; i++, x >>= 8)
        p[i] = (uint8_t)x;
}

/* Order `items` so that less(items[i + 1], items[i]) never holds: heap sort, which no input makes
 * slow and which allocates nothing. */
VDI__FN void vdi__sort(const void **items, int64_t n, bool (*less)(const void *a, const void *b)) {
    for (int64_t start = n / 2, end = n; end > 1;) {
        const void *x;
        int64_t at, child;
        if (start > 0) {
            x = items[at = --start];
        } else {
            x = items[--end];
            items[end] = items[0];
            at = 0;
        }
        for (; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && less(items[child], items[child + 1])) child++;
            if (!less(x, items[child])) break;
            items[at] = items[child];
        }
        items[at] = x;
    }
}
#endif
