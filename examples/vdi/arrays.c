/* examples/vdi/arrays.c - arrays in and out */
#include <errno.h>

#include "tool.h"

double *doubles(int64_t count) {
    double *p = count >= 0 && (uint64_t)count < SIZE_MAX / sizeof(double)
                    ? (double *)calloc((size_t)(count ? count : 1), sizeof(double))
                    : NULL;
    if (!p) exit(fail("out of memory: %lld numbers", (long long)count));
    return p;
}

void memory_tell(const run *r, double bytes, const char *what) {
    if (!r->quiet && bytes >= 1e8) fprintf(stderr, "memory: %.0f MB for %s\n", bytes / 1e6, what);
}

int numbers_read(const char *text, double *out, int most) {
    int n = 0;
    while (*text) {
        const size_t length = strcspn(text, ",");
        if (n == most || length == 0) return -1;
        if (vdi_text_parse_double(text, length, &out[n]) != length) return -1;
        if (out[n] - out[n] != 0) return -1; /* neither infinite nor NaN */
        n++;
        text += length + (text[length] == ',');
    }
    return n;
}

/* Standard input to its end, in the format of its first bytes. */
static vdi_status stdin_load(vdi_tensor *out, vdi_error *err) {
    size_t size = 0, room = 1 << 16;
    char *bytes = NULL, *more;
    while ((more = (char *)realloc(bytes, room)) != NULL) {
        bytes = more;
        size += fread(bytes + size, 1, room - size, stdin);
        if (size < room) break;
        room *= 2;
    }
    vdi_status status = VDI_ERR_MEMORY;
    if (more) {
        vdi_reader r = vdi_reader_memory(bytes, size, "standard input");
        status = vdi_array_read(&r, NULL, NULL, out, err);
    } else {
        status = vdi_error_set(err, status, "stdin_load", "no memory for %zu bytes", room);
    }
    free(bytes);
    return status;
}

bool array_load(const char *path, vdi_tensor *out) {
    vdi_error err = {0};
    vdi_tensor raw;
    vdi_status status =
        strcmp(path, "-") == 0 ? stdin_load(&raw, &err) : vdi_array_load(path, NULL, &raw, &err);
    if (status == VDI_OK) {
        status = vdi_tensor_alloc(NULL, VDI_F64, raw.ndim, raw.shape, out, &err);
        if (status == VDI_OK) status = vdi_tensor_copy(*out, raw, &err);
        vdi_tensor_free(NULL, &raw);
    }
    if (status < 0) {
        fail_error(&err, path);
        return false;
    }
    return true;
}

bool array_load_in(const char *folder, const char *name, bool optional, vdi_tensor *out) {
    char file[64];
    snprintf(file, sizeof file, "%s.npy", name);
    char *path = path_join(folder, file);
    bool ok = true;
    memset(out, 0, sizeof *out);
    out->ndim = -1;
    if (!optional || file_exists(path)) ok = array_load(path, out);
    free(path);
    return ok;
}

static vdi_status save_npy(const char *path, const void *what, vdi_error *err) {
    return vdi_npy_save(path, *(const vdi_tensor *)what, err);
}

bool array_save(const run *r, const char *name, int ndim, const int64_t *shape,
                const double *data) {
    char file[64];
    vdi_error err = {0};
    double *p;
    memcpy(&p, &data, sizeof p); /* a tensor has no const */
    vdi_tensor t = vdi_tensor_view(p, VDI_F64, ndim, shape);
    snprintf(file, sizeof file, "%s.npy", name);
    char *path = path_join(r->out, file);
    bool ok = save_atomically(path, save_npy, &t, &err);
    if (!ok) (void)fail_error(&err, path);
    free(path);
    return ok;
}

static bool lengths_load(const char *path, int64_t trials, int64_t **out) {
    vdi_tensor t;
    *out = NULL;
    if (!path) return true;
    if (!array_load(path, &t)) return false;
    if (vdi_tensor_count(t) != trials) {
        char text[VDI_SHAPE_TEXT];
        (void)fail("expected %lld lengths, one per trial, got %s, in %s", (long long)trials,
                   vdi_tensor_shape_text(t, text), path);
        vdi_tensor_free(NULL, &t);
        return false;
    }
    *out = (int64_t *)malloc((size_t)trials * sizeof **out);
    if (!*out) exit(fail("out of memory"));
    for (int64_t i = 0; i < trials; i++) {
        double x = ((const double *)t.data)[i];
        if (!(x >= 0 && x < 9e15) || x != floor(x)) {
            fail("expected whole lengths, got %g for trial %lld, in %s", x, (long long)i, path);
            return false;
        }
        (*out)[i] = (int64_t)x;
    }
    vdi_tensor_free(NULL, &t);
    return true;
}

/* Inputs of the bins of y; false with a message about their own file. */
static bool inputs_load(const char *path, observations *o) {
    char text[VDI_SHAPE_TEXT];
    if (!array_load(path, &o->u)) return false;
    const bool one = o->u.ndim == 2 && o->trials == 1 && o->u.shape[0] == o->T;
    if (one || (o->u.ndim == 3 && o->u.shape[0] == o->trials && o->u.shape[1] == o->T)) {
        o->inputs = o->u.shape[o->u.ndim - 1];
        return true;
    }
    (void)fail("expected inputs (%lld,%lld,U)%s for the bins of %s, got %s, in %s",
               (long long)o->trials, (long long)o->T, o->trials == 1 ? " or (T,U)" : "", o->file,
               vdi_tensor_shape_text(o->u, text), path);
    return false;
}

bool observations_load(const char *path, const observation_options *with, observations *o) {
    const char *inputs = with->inputs;
    char text[VDI_SHAPE_TEXT];
    memset(o, 0, sizeof *o);
    o->u.ndim = o->offset.ndim = -1;
    o->file = path;
    if (!array_load(path, &o->y)) return false;
    if (o->y.ndim != 2 && o->y.ndim != 3) {
        fail("expected (trials,T,N) or (T,N), got %s, in %s", vdi_tensor_shape_text(o->y, text),
             path);
        return false;
    }
    o->trials = o->y.ndim == 3 ? o->y.shape[0] : 1;
    o->T = o->y.shape[o->y.ndim - 2];
    o->n = o->y.shape[o->y.ndim - 1];
    if (o->trials < 1 || o->T < 1 || o->n < 1) {
        fail("expected at least one trial, bin and channel, got %s, in %s",
             vdi_tensor_shape_text(o->y, text), path);
        return false;
    }
    if (vdi_tensor_count_nonfinite(o->y) == vdi_tensor_count(o->y)) {
        fail("expected observations, got %s of which every value is missing, in %s",
             vdi_tensor_shape_text(o->y, text), path);
        return false;
    }
    if (inputs && !inputs_load(inputs, o)) return false;
    return lengths_load(with->lengths, o->trials, &o->lengths) &&
           (!with->offset || array_load(with->offset, &o->offset));
}

void observations_free(observations *o) {
    vdi_tensor_free(NULL, &o->y);
    if (vdi_tensor_ok(o->u)) vdi_tensor_free(NULL, &o->u);
    if (vdi_tensor_ok(o->offset)) vdi_tensor_free(NULL, &o->offset);
    free(o->lengths);
    o->lengths = NULL;
}
