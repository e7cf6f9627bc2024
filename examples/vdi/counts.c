/* examples/vdi/counts.c - vdi counts: spike times by unit to counts of bins */
#include "tool.h"

typedef struct counts_options {
    double bin, start, stop;
    const char *events;
} counts_options;

/* Spikes of all units: times, and which unit (0 .. units - 1) each is of. */
typedef struct spikes {
    double *time;
    int64_t *unit, count, units;
    double *ids; /* (units): as the file names them */
} spikes;

static void spikes_free(spikes *s) {
    free(s->time);
    free(s->unit);
    free(s->ids);
}

static bool spikes_room(spikes *s, int64_t count, int64_t units) {
    s->count = count;
    s->units = units;
    s->time = doubles(count);
    s->ids = doubles(units);
    s->unit = (int64_t *)calloc((size_t)(count + 1), sizeof *s->unit);
    if (!s->unit) exit(fail("out of memory"));
    return true;
}

static bool time_ok(double t, int64_t i, const char *file) {
    if (t - t == 0) return true;
    (void)fail("expected spike times in seconds, got %g for spike %lld, in %s", t, (long long)i,
               file);
    return false;
}

/* ---- in -------------------------------------------------------------------------------------- */

/* An .npz: an array of times for each unit, in the order of the file. */
static bool read_npz(const char *path, spikes *s) {
    vdi_npz npz;
    vdi_error err = {0};
    int64_t total = 0, at = 0;
    if (vdi_npz_open_file(&npz, path, NULL, &err) < 0) {
        (void)fail_error(&err, path);
        return false;
    }
    const int64_t units = npz.count;
    vdi_tensor *t = (vdi_tensor *)calloc((size_t)units + 1, sizeof *t);
    if (!t) exit(fail("out of memory"));
    bool ok = true;
    for (int64_t u = 0; ok && u < units; u++) {
        vdi_tensor raw;
        ok = vdi_npz_get(&npz, npz.name[u], NULL, &raw, &err) >= 0 &&
             vdi_tensor_alloc(NULL, VDI_F64, raw.ndim, raw.shape, &t[u], &err) >= 0 &&
             vdi_tensor_copy(t[u], raw, &err) >= 0;
        if (!ok) {
            (void)fail_error(&err, path);
            break;
        }
        vdi_tensor_free(NULL, &raw);
        total += vdi_tensor_count(t[u]);
    }
    if (ok) ok = spikes_room(s, total, units);
    for (int64_t u = 0; ok && u < units; u++) {
        s->ids[u] = (double)u;
        for (int64_t k = 0; ok && k < vdi_tensor_count(t[u]); k++, at++) {
            s->time[at] = ((const double *)t[u].data)[k];
            s->unit[at] = u;
            ok = time_ok(s->time[at], at, path);
        }
    }
    for (int64_t u = 0; u < units; u++)
        if (vdi_tensor_ok(t[u])) vdi_tensor_free(NULL, &t[u]);
    free(t);
    vdi_npz_close(&npz);
    return ok;
}

static int rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* A table of two columns: time, unit. */
static bool read_table(const char *path, spikes *s) {
    vdi_tensor t;
    char text[VDI_SHAPE_TEXT];
    if (!array_load(path, &t)) return false;
    if (t.ndim != 2 || t.shape[1] != 2 || t.shape[0] < 1) {
        (void)fail("expected two columns, time and unit, or an .npz with the times of each unit, "
                   "got %s, in %s",
                   vdi_tensor_shape_text(t, text), path);
        vdi_tensor_free(NULL, &t);
        return false;
    }
    const double *x = (const double *)t.data;
    const int64_t count = t.shape[0];
    double *ids = doubles(count);
    bool ok = true;
    for (int64_t i = 0; ok && i < count; i++) {
        ids[i] = x[2 * i + 1];
        ok = time_ok(x[2 * i], i, path);
        if (ok && ids[i] - ids[i] != 0) {
            (void)fail("expected a unit's number, got %g for spike %lld, in %s", ids[i],
                       (long long)i, path);
            ok = false;
        }
    }
    qsort(ids, (size_t)count, sizeof *ids, rising);
    int64_t units = 0;
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || ids[i] != ids[units - 1]) ids[units++] = ids[i];
    if (ok) ok = spikes_room(s, count, units);
    for (int64_t i = 0; ok && i < count; i++) {
        const double *at =
            (const double *)bsearch(&x[2 * i + 1], ids, (size_t)units, sizeof *ids, rising);
        s->time[i] = x[2 * i];
        s->unit[i] = at - ids;
    }
    if (ok) memcpy(s->ids, ids, (size_t)units * sizeof *ids);
    free(ids);
    vdi_tensor_free(NULL, &t);
    return ok;
}

/* ---- trials ---------------------------------------------------------------------------------- */

/* Each trial's first moment and number of bins. */
typedef struct trials {
    int64_t count, most, *bins;
    double *first;
} trials;

/* A trial from `start` to `stop`: whole bins that end by then, to rounding. */
static bool trial_add(trials *k, double bin, double start, double stop, const char *file) {
    const double bins = floor((stop - start) / bin + 1e-9);
    if (!(bins >= 1 && bins < 1e9)) {
        (void)fail("trial %lld from %g to %g s has no whole bin of %g s, in %s",
                   (long long)k->count, start, stop, bin, file);
        return false;
    }
    k->first[k->count] = start;
    k->bins[k->count] = (int64_t)bins;
    if (k->bins[k->count] > k->most) k->most = k->bins[k->count];
    k->count++;
    return true;
}

/* --events: (trials,2) starts and ends, or (trials,) moments with --start and --stop about them.
 * Without: one trial from --start (0) to --stop (the last spike). */
static bool trials_read(const counts_options *want, const spikes *s, const char *file, trials *k) {
    vdi_tensor t = {0};
    char text[VDI_SHAPE_TEXT];
    double last = want->start;
    t.ndim = -1;
    if (want->events && !array_load(want->events, &t)) return false;
    const bool one = t.ndim == 1 || (t.ndim == 2 && t.shape[1] == 1);
    if (want->events && !one && !(t.ndim == 2 && t.shape[1] == 2)) {
        (void)fail("expected (trials,2), starts and ends, or (trials,), got %s, in %s",
                   vdi_tensor_shape_text(t, text), want->events);
        return false;
    }
    const int64_t count = want->events ? t.shape[0] : 1;
    k->first = doubles(count);
    k->bins = (int64_t *)calloc((size_t)count + 1, sizeof *k->bins);
    if (!k->bins) exit(fail("out of memory"));
    bool ok = true;
    for (int64_t i = 0; i < s->count; i++)
        last = fmax(last, s->time[i]);
    if (!want->events) {
        const double stop = want->stop > want->start ? want->stop : last + want->bin;
        return trial_add(k, want->bin, want->start, stop, file);
    }
    if (one && !(want->stop > want->start)) {
        (void)fail("expected --start and --stop, the seconds about each event, for %s",
                   want->events);
        return false;
    }
    for (int64_t i = 0; ok && i < count; i++) {
        const double *x = (const double *)t.data + (one ? i : 2 * i);
        ok = trial_add(k, want->bin, x[0] + (one ? want->start : 0), one ? x[0] + want->stop : x[1],
                       want->events);
    }
    vdi_tensor_free(NULL, &t);
    return ok;
}

/* ---- counts ---------------------------------------------------------------------------------- */

static int counts_main(run *r, void *options) {
    static const char *const keys[] = {"trials", "bins", "units", "spikes", "counted"};
    const counts_options *want = (const counts_options *)options;
    const char *path = r->argument[0];
    const size_t length = strlen(path);
    spikes s = {0};
    trials k = {0};
    double counted = 0;
    if (!(want->bin > 0)) return usage("expected --bin S, the width of a bin in seconds");
    const bool npz = length > 4 && strcmp(path + length - 4, ".npz") == 0;
    bool ok = (npz ? read_npz(path, &s) : read_table(path, &s)) && trials_read(want, &s, path, &k);
    if (!ok) return FAILED;
    const int64_t shape[3] = {k.count, k.most, s.units};
    double *y = doubles(shape[0] * shape[1] * shape[2]), *lengths = doubles(k.count);
    for (int64_t i = 0; i < k.count; i++) {
        double *of = y + i * k.most * s.units;
        lengths[i] = (double)k.bins[i];
        for (int64_t j = 0; j < s.count; j++) { /* a spike on an edge is of the bin that begins */
            const double at = floor((s.time[j] - k.first[i]) / want->bin + 1e-9);
            if (!(at >= 0 && at < (double)k.bins[i])) continue;
            of[(int64_t)at * s.units + s.unit[j]]++;
            counted++;
        }
    }
    ok = run_open_out(r) && array_save(r, "counts", 3, shape, y) &&
         array_save(r, "lengths", 1, &k.count, lengths) &&
         array_save(r, "units", 1, &s.units, s.ids);
    const double values[] = {(double)k.count, (double)k.most, (double)s.units, (double)s.count,
                             counted};
    if (ok) print_results(r, keys, values, 5);
    free(y);
    free(lengths);
    free(k.first);
    free(k.bins);
    spikes_free(&s);
    return ok ? DONE : FAILED;
}

static const option rows[] = {
    OPTION("bin", "S",
           VDI_FIELD_REAL_FLAGS(counts_options, bin, 0, 0, 1e6, VDI_FIELD_REQUIRED,
                                "width of a bin, seconds")),
    OPTION_TEXT(counts_options, events, "events", "FILE", NULL,
                "trials: starts and ends (trials,2) in seconds, or moments (trials,); one trial "
                "without it"),
    OPTION("start", "S",
           VDI_FIELD_REAL(counts_options, start, 0, -1e12, 1e12,
                          "where a trial begins: from its moment on, or of the one trial")),
    OPTION("stop", "S",
           VDI_FIELD_REAL(counts_options, stop, 0, -1e12, 1e12,
                          "where it ends, likewise; the one trial: with the last spike")),
};
const command counts_command = {
    .family = "counts",
    .verb = "",
    .arguments = "SPIKES",
    .least = 1,
    .most = 1,
    .out = true,
    .summary = "Spike times to counts. SPIKES is a table of two columns, time in seconds and unit "
               "(.csv, .tsv, .npy), or an .npz with an array of times for each unit. Writes "
               "counts.npy (trials,T,N), lengths.npy, the bins of each trial (for --lengths), and "
               "units.npy, the units' numbers.",
    .example = "vdi counts spikes.csv --bin 0.02 --events trials.csv --out binned",
    COMMAND_OPTIONS(rows),
    .size = sizeof(counts_options),
    .main = counts_main,
};
