/* examples/vdi/spikes_neurons.c - which rows of the traces are trials of one neuron */
#include "spikes_neurons.h"

typedef struct labelled {
    double name;
    int64_t row;
} labelled;

static int by_name(const void *a, const void *b) {
    const labelled *x = (const labelled *)a, *y = (const labelled *)b;
    if (x->name < y->name || x->name > y->name) return x->name < y->name ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int64_t *integers(int64_t count) {
    int64_t *p = (int64_t *)calloc((size_t)count + 1, sizeof *p);
    if (!p) exit(fail("out of memory"));
    return p;
}

/* Groups of equal names in the order of their first rows, so that rows are done from the front. */
static int by_first_row(const void *a, const void *b) {
    const int64_t x = ((const int64_t *)a)[0], y = ((const int64_t *)b)[0];
    return (x > y) - (x < y);
}

static void group(labelled *of, int64_t rows, neuron_list *out) {
    qsort(of, (size_t)rows, sizeof *of, by_name);
    int64_t *first = integers(2 * rows); /* (first row, where it stands in `of`) */
    for (int64_t i = 0; i < rows; i++) {
        if (i > 0 && !(of[i].name > of[i - 1].name)) continue;
        first[2 * out->count] = of[i].row;
        first[2 * out->count++ + 1] = i;
    }
    qsort(first, (size_t)out->count, 2 * sizeof *first, by_first_row);
    out->begin = integers(out->count + 1);
    out->member = integers(rows);
    out->name = doubles(out->count);
    for (int64_t k = 0, to = 0; k < out->count; k++) {
        int64_t i = first[2 * k + 1];
        const double name = of[i].name;
        out->name[k] = name;
        for (; i < rows && !(of[i].name > name); i++)
            out->member[to++] = of[i].row;
        out->begin[k + 1] = to;
        if (to - out->begin[k] > out->most) out->most = to - out->begin[k];
    }
    free(first);
}

/* Where a row is written: behind the kept rows before it. */
static void places_set(const trace_source *in, neuron_list *l) {
    if (!l->place) l->place = integers(in->rows);
    for (int64_t i = 0; i < in->rows; i++)
        l->place[i] = 0;
    for (int64_t k = 0; k < l->begin[l->count]; k++)
        l->place[l->member[k]] = 1;
    l->rows = 0;
    for (int64_t i = 0; i < in->rows; i++) {
        const int64_t kept = l->place[i];
        l->place[i] = l->rows;
        l->rows += kept;
    }
}

bool neurons_read(const char *trials, const trace_source *in, neuron_list *out) {
    vdi_tensor name = {0};
    memset(out, 0, sizeof *out);
    if (trials) {
        if (!array_load(trials, &name)) return false;
        if (vdi_tensor_count(name) != in->rows) {
            (void)fail("expected the neuron of each of the %lld rows, got %lld numbers, in %s",
                       (long long)in->rows, (long long)vdi_tensor_count(name), trials);
            vdi_tensor_free(NULL, &name);
            return false;
        }
    }
    labelled *of = (labelled *)calloc((size_t)in->rows + 1, sizeof *of);
    if (!of) exit(fail("out of memory"));
    const int64_t each = in->ndim == 3 ? in->shape[1] : 1;
    for (int64_t i = 0; i < in->rows; i++) {
        of[i].row = i;
        of[i].name = trials ? ((const double *)name.data)[i] : (double)(i / each);
    }
    bool ok = true;
    for (int64_t i = 0; ok && i < in->rows; i++)
        ok = of[i].name - of[i].name == 0;
    if (!ok) (void)fail("expected the neuron of each row, got what is no number, in %s", trials);
    if (ok) group(of, in->rows, out);
    if (ok) places_set(in, out);
    free(of);
    if (trials) vdi_tensor_free(NULL, &name);
    return ok;
}

bool shard_range(const char *text, int64_t count, int64_t *from, int64_t *to) {
    int64_t i, n;
    if (!shard_read(text, &i, &n)) return false;
    *from = count * (i - 1) / n;
    *to = count * i / n;
    return true;
}

void neurons_keep(const trace_source *in, int64_t from, int64_t to, neuron_list *l) {
    const int64_t row = l->begin[from];
    l->most = 0;
    for (int64_t k = from; k < to; k++) {
        const int64_t rows = l->begin[k + 1] - l->begin[k];
        l->name[k - from] = l->name[k];
        l->begin[k - from] = l->begin[k] - row;
        if (rows > l->most) l->most = rows;
    }
    l->begin[to - from] = l->begin[to] - row;
    memmove(l->member, l->member + row, (size_t)l->begin[to - from] * sizeof *l->member);
    l->count = to - from;
    places_set(in, l);
}

void neurons_free(neuron_list *l) {
    free(l->begin);
    free(l->member);
    free(l->name);
    free(l->place);
    memset(l, 0, sizeof *l);
}
