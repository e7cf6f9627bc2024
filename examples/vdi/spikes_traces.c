/* examples/vdi/spikes_traces.c - traces as the verbs of the spikes family take them */
#include "spikes.h"

bool fps_given(double fps) {
    if (fps > 0) return true;
    (void)usage("expected --fps F, the frames per second of the recording");
    return false;
}

bool calcium_named(const char *name, vdi_calcium_model *model) {
    if (vdi_calcium_find(name, model)) return true;
    (void)usage("--model: expected one of linear" VDI_CALCIUM_LIST(CALCIUM_WORD) ", got '%s'",
                name);
    return false;
}

/* ---- Suite2p --------------------------------------------------------------------------------- */

/* The number behind the key "fs" of a pickled dictionary, found by its bytes: nothing of the file
 * is run. 0: not there. */
static double pickled_fs(const unsigned char *p, size_t n) {
    for (size_t i = 2; i + 16 < n; i++) {
        if (p[i] != 'f' || p[i + 1] != 's') continue;
        const bool shorter = p[i - 2] == 0x8c && p[i - 1] == 2;
        const bool longer = i >= 5 && memcmp(p + i - 5, "X\2\0\0\0", 5) == 0;
        if (!shorter && !longer) continue;
        size_t at = i + 2;
        if (p[at] == 0x94)
            at++; /* memoised, protocol 4 */
        else if (p[at] == 'q')
            at += 2; /* before it */
        else if (p[at] == 'r')
            at += 5;
        if (at + 9 > n) break;
        if (p[at] == 'K') return p[at + 1];
        if (p[at] == 'M') return p[at + 1] + 256 * p[at + 2];
        if (p[at] != 'G') continue;
        uint64_t bits = 0;
        double value;
        for (int k = 1; k <= 8; k++)
            bits = bits << 8 | p[at + (size_t)k];
        memcpy(&value, &bits, sizeof value);
        return value > 0 && value < 1e6 ? value : 0;
    }
    return 0;
}

/* The frame rate of ops.npy, which is a pickled dictionary. */
static double suite2p_rate(const char *folder) {
    enum { MOST = 64 << 20 };
    vdi_reader r;
    double fps = 0;
    char *path = path_join(folder, "ops.npy");
    unsigned char *bytes = (unsigned char *)malloc(MOST);
    if (bytes && file_exists(path) && vdi_reader_open(&r, path, NULL) >= 0) {
        const int64_t n = vdi_read(&r, bytes, MOST);
        if (n > 0) fps = pickled_fs(bytes, (size_t)n);
        vdi_reader_close(&r);
    }
    free(bytes);
    free(path);
    return fps;
}

static bool suite2p_cells(const char *folder, trace_source *s) {
    vdi_tensor cells;
    if (!array_load_in(folder, "iscell", true, &cells)) return false;
    if (cells.ndim < 0) return true; /* all are */
    const int64_t rows = cells.ndim ? cells.shape[0] : 0;
    const int64_t each = rows > 0 ? vdi_tensor_count(cells) / rows : 0;
    if (rows != s->rows || each < 1) {
        (void)fail("expected a row for each of the %lld of F.npy, got %lld, in %s/iscell.npy",
                   (long long)s->rows, (long long)rows, folder);
        vdi_tensor_free(NULL, &cells);
        return false;
    }
    s->is_cell = doubles(rows);
    for (int64_t i = 0; i < rows; i++) {
        s->is_cell[i] = ((const double *)cells.data)[i * each];
        s->others += !(s->is_cell[i] > 0);
    }
    vdi_tensor_free(NULL, &cells);
    return true;
}

static bool suite2p_open(const char *folder, const trace_options *how, trace_source *s) {
    s->path = path_join(folder, "F.npy");
    if (!rows_open(s->path, false, &s->traces)) return false;
    s->rows = s->traces.rows;
    s->frames = s->traces.columns;
    s->fps = suite2p_rate(folder);
    if (how->neuropil > 0) {
        s->neuropil_path = path_join(folder, "Fneu.npy");
        s->share = how->neuropil;
        s->has_neuropil = true;
        if (!rows_open(s->neuropil_path, false, &s->neuropil)) return false;
        if (s->neuropil.rows != s->rows || s->neuropil.columns != s->frames) {
            (void)fail("expected the shape of F.npy, (%lld,%lld), got (%lld,%lld), in %s",
                       (long long)s->rows, (long long)s->frames, (long long)s->neuropil.rows,
                       (long long)s->neuropil.columns, s->neuropil_path);
            return false;
        }
        s->other = doubles(s->frames);
    }
    return suite2p_cells(folder, s);
}

/* ---- sources --------------------------------------------------------------------------------- */

/* A table's first column that rises in every row is a clock, not a neuron. */
static void clock_leave(trace_source *s) {
    const int64_t n = s->frames;
    double *v = doubles(n);
    bool rises = n >= 16 && s->rows > 1 && rows_read(&s->traces, 0, v);
    for (int64_t k = 1; rises && k < n; k++)
        rises = v[k] > v[k - 1];
    if (rises) {
        s->skip = 1;
        s->rows--;
        s->shape[0]--;
        warn("time",
             "the first column of %s rises in every row, by %g: taken for a clock, left out",
             s->file, (v[n - 1] - v[0]) / (double)(n - 1));
    }
    free(v);
}

bool source_open(const char *path, const trace_options *how, trace_source *s) {
    memset(s, 0, sizeof *s);
    s->file = path;
    s->traces.file = s->neuropil.file = -1;
    const bool ok =
        how->suite2p ? suite2p_open(path, how, s) : rows_open(path, how->transpose, &s->traces);
    if (!ok) {
        source_close(s);
        return false;
    }
    s->rows = s->traces.rows;
    s->frames = s->traces.columns;
    s->ndim = s->traces.ndim;
    memcpy(s->shape, s->traces.shape, sizeof s->shape);
    if (rows_is_table(path)) clock_leave(s);
    if (s->rows > 2 * s->frames && s->frames > 0 && !how->suite2p) {
        warn("shape", "%lld neurons of %lld frames: is it transposed? (%s)", (long long)s->rows,
             (long long)s->frames, how->transpose ? "without --transpose" : "--transpose");
    }
    return true;
}

bool source_read(trace_source *s, int64_t row, double *out) {
    if (s->is_cell && !(s->is_cell[row] > 0)) {
        for (int64_t k = 0; k < s->frames; k++)
            out[k] = NAN;
        return true;
    }
    if (!rows_read(&s->traces, row + s->skip, out)) return false;
    if (!s->has_neuropil) return true;
    if (!rows_read(&s->neuropil, row, s->other)) return false;
    for (int64_t k = 0; k < s->frames; k++)
        out[k] -= s->share * s->other[k];
    return true;
}

void source_close(trace_source *s) {
    if (s->traces.path) rows_close(&s->traces);
    if (s->neuropil.path) rows_close(&s->neuropil);
    free(s->path);
    free(s->neuropil_path);
    free(s->is_cell);
    free(s->other);
    memset(s, 0, sizeof *s);
}

/* ---- all in memory --------------------------------------------------------------------------- */

bool traces_load(const char *path, int64_t least, recording *o) {
    const trace_options plain = {0};
    trace_source s;
    memset(o, 0, sizeof *o);
    if (!source_open(path, &plain, &s)) return false;
    o->file = path;
    o->neurons = s.rows;
    o->frames = s.frames;
    bool ok = s.frames >= least;
    if (!ok) {
        (void)fail("expected (neurons,frames) or (frames,) with at least %lld frames, got %lld, "
                   "in %s",
                   (long long)least, (long long)s.frames, path);
    }
    if (ok) {
        vdi_error err = {0};
        ok = vdi_tensor_alloc(NULL, VDI_F64, s.ndim, s.shape, &o->y, &err) == VDI_OK;
        if (!ok) (void)fail_error(&err, path);
    }
    for (int64_t i = 0; ok && i < s.rows; i++)
        ok = source_read(&s, i, (double *)o->y.data + i * s.frames);
    source_close(&s);
    return ok;
}

vdi_tensor traces_matrix(const recording *o) {
    return vdi_tensor_2d(o->y.data, VDI_F64, o->neurons, o->frames);
}
