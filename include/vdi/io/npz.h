/* io/npz.h - several NumPy arrays by name in one file, .npz
 *
 * Do this:
 *     vdi_npz npz;
 *     vdi_tensor y;
 *     if (vdi_npz_open_file(&npz, "all.npz", NULL, &err) == VDI_OK) {
 *         for (int64_t i = 0; i < npz.count; i++) puts(npz.name[i]);
 *         if (vdi_npz_get(&npz, "y", NULL, &y, &err) < 0) puts(err.message);
 *         vdi_npz_close(&npz);
 *     }
 *
 * A zip archive (io/zip.h) of .npy files (io/npy.h): read stored or deflated, written stored, so
 * that equal arrays make equal bytes. "all.npz:y" as one path is what io/array.h takes.
 * Memory: the list of names until it is closed; the tensors are yours. Errors: those of both
 * formats.
 */
#ifndef VDI_IO_NPZ_H
#define VDI_IO_NPZ_H
#include "../core/state.h"
#include "npy.h"
#include "zip.h"

/** An open .npz; `name` (without ".npy") and `count` are yours to read. */
typedef struct vdi_npz {
    const char **name; /**< of each array */
    int64_t count;     /**< arrays */
    /* private */
    vdi_zip zip;
    vdi_reader file; /* where vdi_npz_open_file opened one */
} vdi_npz;

/** Read the list of arrays. What `r` stands on must outlive the npz. Pair with vdi_npz_close. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_open(vdi_npz *npz, vdi_reader r, const vdi_allocator *a,
                                              vdi_error *err);
/** One array by name (NULL: the only one); VDI_ERR_ARGUMENT with the names there are if it is not
 * among them. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_get(vdi_npz *npz, const char *name, const vdi_allocator *a,
                                             vdi_tensor *out, vdi_error *err);
/** Give its memory back, and close its file. */
VDI_API void vdi_npz_close(vdi_npz *npz);
/** Write `count` arrays; names without ".npy". VDI_ERR_ARGUMENT for an empty or doubled name. `a`
 * is for the directory. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_write(vdi_writer *w, const vdi_named_tensor *tensors,
                                               int64_t count, const vdi_allocator *a,
                                               vdi_error *err);

#ifndef VDI_NO_STDIO
/** Open an .npz file. `path` must outlive it. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_open_file(vdi_npz *npz, const char *path,
                                                   const vdi_allocator *a, vdi_error *err);
/** Create or replace an .npz file. */
VDI_API VDI_NODISCARD vdi_status vdi_npz_save(const char *path, const vdi_named_tensor *tensors,
                                              int64_t count, vdi_error *err);
#endif

#endif /* VDI_IO_NPZ_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_NPZ_C)
#define VDI_IO_NPZ_C

enum { VDI__NPZ_NAME_MAX = 250 };

VDI__DEF vdi_status vdi_npz_open(vdi_npz *npz, vdi_reader r, const vdi_allocator *a,
                                 vdi_error *err) {
    memset(npz, 0, sizeof *npz);
    vdi_status status = vdi_zip_open(&npz->zip, r, a, err);
    if (status < 0) return status;
    int64_t n = npz->zip.count;
    npz->name =
        (const char **)vdi_arena_alloc(&npz->zip.arena, vdi_mul_size((size_t)n, sizeof *npz->name));
    for (int64_t i = 0; i < n && npz->name; i++) {
        const char *full = npz->zip.member[i].name;
        size_t length = strlen(full);
        if (length >= 4 && memcmp(full + length - 4, ".npy", 4) == 0) length -= 4;
        char *copy = (char *)vdi_arena_alloc(&npz->zip.arena, length + 1);
        if (!copy) {
            npz->name = NULL;
        } else {
            memcpy(copy, full, length);
            copy[length] = 0;
            npz->name[i] = copy;
        }
    }
    if (npz->name) {
        npz->count = n;
    } else {
        status =
            vdi__io_error(err, VDI_ERR_MEMORY, "vdi_npz_open", r.name, "no memory for the names");
        vdi_npz_close(npz);
    }
    return status;
}

VDI__DEF void vdi_npz_close(vdi_npz *npz) {
    vdi_zip_close(&npz->zip);
#ifndef VDI_NO_STDIO
    vdi_reader_close(&npz->file);
#endif
    npz->name = NULL;
    npz->count = 0;
}

VDI__DEF vdi_status vdi_npz_get(vdi_npz *npz, const char *name, const vdi_allocator *a,
                                vdi_tensor *out, vdi_error *err) {
    vdi_reader member;
    vdi_error damage;
    int64_t i;
    *out = vdi__tensor_null();
    vdi_status status =
        vdi__name_find(npz->name, npz->count, name, "vdi_npz_get", npz->zip.reader.name, &i, err);
    if (status < 0) { /* "y.npy" is the name of a member */
        i = name ? vdi_zip_find(&npz->zip, name) : -1;
        if (i < 0) return status;
    }
    status = vdi_zip_enter(&npz->zip, i, &member, err);
    if (status < 0) return status;
    status = vdi__npy_read(&member, a, npz->zip.member[i].size, out, err);
    /* If it could not be read, damage to the packed data is the better explanation. */
    bool damaged = npz->zip.open->packed.why || status == VDI_OK;
    vdi_status end = vdi_zip_leave(&npz->zip, &damage);
    if (end < 0 && damaged) {
        if (err) *err = damage;
        status = end;
    }
    if (status < 0) vdi_tensor_free(a, out);
    return status;
}

VDI__FN vdi_status vdi__npz_check(const vdi_named_tensor *tensors, int64_t count, const char *file,
                                  vdi_error *err) {
    for (int64_t i = 0; i < count; i++) {
        const char *name = tensors[i].name;
        const vdi_status status = vdi__tensor_check(tensors[i].tensor, "vdi_npz_write", file, err);
        if (status < 0) return status;
        bool good = name && *name && strlen(name) <= VDI__NPZ_NAME_MAX && vdi__utf8_valid(name);
        for (int64_t k = 0; k < i && good; k++)
            good = strcmp(name, tensors[k].name) != 0;
        if (good) continue;
        return vdi__io_error(err, VDI_ERR_ARGUMENT, "vdi_npz_write", file,
                             "name %lld is empty, taken, no UTF-8 or longer than %d bytes",
                             (long long)i, VDI__NPZ_NAME_MAX);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_npz_write(vdi_writer *w, const vdi_named_tensor *tensors, int64_t count,
                                  const vdi_allocator *a, vdi_error *err) {
    vdi_zip_writer zip;
    vdi__crc crc;
    vdi_writer dry;
    vdi_status status = vdi__npz_check(tensors, count, w->name, err);
    if (status < 0) return status;
    vdi__crc_begin(&crc);
    vdi_zip_begin(&zip, w, a);
    for (int64_t i = 0; i < count; i++) { /* twice over the data: the CRC stands before them */
        char head[256], name[VDI__NPZ_NAME_MAX + sizeof ".npy"];
        size_t n = vdi__npy_header_text(head, tensors[i].tensor);
        (void)vdi_text_format(name, sizeof name, "%s.npy", tensors[i].name);
        crc.value = 0;
        vdi_writer_init(&dry, vdi__crc_write, &crc, NULL);
        vdi_write(&dry, head, n);
        vdi__write_array(&dry, tensors[i].tensor);
        (void)vdi_writer_flush(&dry, NULL);
        vdi__zip_announce(&zip, name, (uint64_t)dry.written, crc.value);
        vdi_write(w, head, n);
        vdi__write_array(w, tensors[i].tensor);
    }
    return vdi_zip_end(&zip, err);
}

/* A row of io/array.h. */
VDI__FN bool vdi__npz_begins(const uint8_t *head, size_t size) {
    return size >= 4 && memcmp(head, "PK\3\4", 4) == 0;
}

VDI__FN vdi_status vdi__npz_array(vdi_reader *r, const char *name, const vdi_allocator *a,
                                  vdi_tensor *out, vdi_error *err) {
    vdi_npz npz;
    vdi_status status = vdi_npz_open(&npz, *r, a, err);
    if (status < 0) return status;
    status = vdi_npz_get(&npz, name, a, out, err);
    vdi_npz_close(&npz);
    return status;
}

/* ---- by path ---- */
#ifndef VDI_NO_STDIO

VDI__DEF vdi_status vdi_npz_open_file(vdi_npz *npz, const char *path, const vdi_allocator *a,
                                      vdi_error *err) {
    vdi_reader file;
    memset(npz, 0, sizeof *npz);
    vdi_status status = vdi_reader_open(&file, path, err);
    if (status < 0) return status;
    status = vdi_npz_open(npz, file, a, err);
    if (status < 0)
        vdi_reader_close(&file);
    else
        npz->file = file;
    return status;
}

VDI__FN vdi_status vdi__npz_save_fn(vdi_writer *w, const void *what, int64_t count,
                                    vdi_error *err) {
    return vdi_npz_write(w, (const vdi_named_tensor *)what, count, NULL, err);
}

VDI__DEF vdi_status vdi_npz_save(const char *path, const vdi_named_tensor *tensors, int64_t count,
                                 vdi_error *err) {
    const vdi_status status =
        vdi__npz_check(tensors, count, path, err); /* before a file is emptied */
    return status < 0 ? status : vdi__save_file(path, vdi__npz_save_fn, tensors, count, err);
}
#endif
#endif
