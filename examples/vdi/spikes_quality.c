/* examples/vdi/spikes_quality.c - what is unusual about the traces: quality.csv, and a warning for
 * each kind of trouble */
#include "spikes_quality.h"

/* Behind the kinds of the library. */
enum { LINE_HZ, DECAY, UNUSUAL, FLAGS, MORE };
static const char *const more_names[MORE] = {"line_hz", "decay_s", "unusual", "flags"};

/* Statistics further than this from those of the simulated cells: one in a hundred of them is. */
static const double unusual_limit = 1.8;

int quality_columns(void) { return vdi_trace_quality_count() + MORE; }

const char *quality_name(int column) {
    const int kinds = vdi_trace_quality_count();
    return column < kinds ? vdi_trace_quality_kind(column)->name : more_names[column - kinds];
}

/* ---- measuring ------------------------------------------------------------------------------- */

typedef struct measuring {
    inference *q;
    size_t size;
    char *work;
} measuring;

/* Means over the trials of a neuron. */
static void measure_one(int64_t k, int worker, void *user) {
    const measuring *m = (const measuring *)user;
    inference *q = m->q;
    const int kinds = vdi_trace_quality_count();
    const int64_t i = q->part.at + k, n = q->in->frames;
    const int64_t first = q->neurons.begin[i] - q->neurons.begin[q->part.at];
    const int64_t rows = q->neurons.begin[i + 1] - q->neurons.begin[i];
    double *v = q->quality + i * quality_columns();
    double seen[32] = {0};
    memset(v, 0, (size_t)quality_columns() * sizeof *v);
    for (int64_t r = 0; r < rows; r++) {
        vdi_trace_quality t;
        if (vdi_pretrained_quality(VDI_F64, n, q->part.traces + (first + r) * n, q->fps,
                                   m->work + (size_t)worker * m->size, m->size, &t, NULL) < 0)
            continue;
        for (int c = 0; c < kinds + DECAY + 1; c++) {
            const double x = c < kinds              ? vdi_trace_quality_value(&t, c)
                             : c == kinds + LINE_HZ ? t.line_hz
                                                    : t.decay;
            if (x != x) continue;
            v[c] += x;
            seen[c]++;
        }
    }
    for (int c = 0; c < kinds + DECAY + 1; c++)
        v[c] = seen[c] > 0 ? v[c] / seen[c] : NAN;
    v[kinds + UNUSUAL] = q->unusual[i];
    for (int c = 0; c < kinds; c++) {
        const vdi_trace_quality_kind_row *kind = vdi_trace_quality_kind(c);
        v[kinds + FLAGS] += kind->below ? v[c] < kind->limit : v[c] > kind->limit;
    }
    v[kinds + FLAGS] += v[kinds + UNUSUAL] > unusual_limit;
}

bool quality_measure(run *r, inference *q) {
    measuring m = {0};
    m.q = q;
    m.size = vdi_align_size(vdi_pretrained_prepare_memsize(q->in->frames, q->fps));
    m.work = (char *)malloc(m.size * (size_t)vdi_pool_threads(r->pool));
    if (!m.work) {
        (void)fail("no memory for %zu bytes", m.size);
        return false;
    }
    vdi_pool_run(r->pool, q->part.count, measure_one, &m);
    free(m.work);
    return true;
}

/* ---- telling --------------------------------------------------------------------------------- */

bool quality_flagged(const inference *q, int64_t neuron, int column) {
    const int kinds = vdi_trace_quality_count();
    const double v = q->quality[neuron * quality_columns() + column];
    if (column == kinds + UNUSUAL) return v > unusual_limit;
    if (column >= kinds) return false;
    const vdi_trace_quality_kind_row *kind = vdi_trace_quality_kind(column);
    return kind->below ? v < kind->limit : v > kind->limit;
}

const char *quality_meaning(int column) {
    const int kinds = vdi_trace_quality_count();
    if (column < kinds) return vdi_trace_quality_kind(column)->meaning;
    return "unlike any cell that the network was trained on: its answer is a guess";
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The middle of a column's numbers. */
static double column_median(const inference *q, int column) {
    double *v = doubles(q->neurons.count), median = NAN;
    int64_t n = 0;
    for (int64_t i = 0; i < q->neurons.count; i++) {
        const double x = q->quality[i * quality_columns() + column];
        if (x == x) v[n++] = x;
    }
    qsort(v, (size_t)n, sizeof *v, by_value);
    if (n > 0) median = v[n / 2];
    free(v);
    return median;
}

/* Indicators decay in 0.1 to 1.5 s; 0.5 s is between. Less than 0.2 s is right for the fastest of
 * them alone, and more often a rate that is too high. */
static void rate_tell(const inference *q) {
    const double decay = column_median(q, vdi_trace_quality_count() + DECAY);
    const double fps = q->fps, likely = fps * decay / 0.5;
    if (fps < 0.5) {
        warn("rate",
             "--fps %g is one frame in %.3g s: is it the time of a frame? Then say --fps %.4g", fps,
             1 / fps, 1 / fps);
    } else if (decay > 1.5 || decay < 0.04) {
        warn(
            "rate",
            "transients decay in %.2g s at --fps %g; indicators take 0.1 to 1.5 s: is it nearer to "
            "%.2g frames a second?",
            decay, fps, likely);
    } else if (decay < 0.2 && fps >= 10) {
        warn("rate",
             "transients decay in %.2g s at --fps %g, as those of the fastest indicators alone do: "
             "with another one, is it nearer to %.2g frames a second?",
             decay, fps, likely);
    }
}

int64_t quality_tell(const inference *q) {
    const int columns = quality_columns();
    int64_t any = 0;
    rate_tell(q);
    for (int c = 0; c < columns; c++) {
        int64_t flagged = 0, first = -1;
        for (int64_t i = 0; i < q->neurons.count; i++) {
            if (!quality_flagged(q, i, c)) continue;
            if (flagged++ == 0) first = i;
        }
        if (flagged == 0) continue;
        warn(quality_name(c), "%lld of %lld neurons (first: %g): %s", (long long)flagged,
             (long long)q->neurons.count, q->neurons.name[first], quality_meaning(c));
    }
    for (int64_t i = 0; i < q->neurons.count; i++)
        any += q->quality[i * columns + columns - MORE + FLAGS] > 0;
    return any;
}

bool quality_save(const run *r, const inference *q) {
    const int columns = quality_columns();
    const int64_t neurons = q->neurons.count;
    vdi_named_tensor column[33];
    column[0].name = "neuron";
    column[0].tensor = vdi_tensor_1d(q->neurons.name, VDI_F64, neurons);
    const vdi_tensor all = vdi_tensor_2d(q->quality, VDI_F64, neurons, columns);
    for (int c = 0; c < columns; c++) {
        column[c + 1].name = quality_name(c);
        column[c + 1].tensor = vdi_tensor_index(all, 1, c);
    }
    return save_csv(r, "quality.csv", column, columns + 1);
}
