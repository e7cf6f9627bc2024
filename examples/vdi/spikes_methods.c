/* examples/vdi/spikes_methods.c - the methods of vdi spikes infer, each for some neurons at a
 * time */
#include "spikes_fit.h"
#include "spikes_pretrained.h"

static double *row_of(double *p, int64_t i, int64_t n) { return p ? p + i * n : NULL; }

/* First row of a part's neuron k among the part's rows, and how many it has. */
static int64_t part_row(const inference *q, int64_t k) {
    return q->neurons.begin[q->part.at + k] - q->neurons.begin[q->part.at];
}
static int64_t neuron_rows(const inference *q, int64_t i) {
    return q->neurons.begin[i + 1] - q->neurons.begin[i];
}

static void columns_set(inference *q, const char *const *columns, int count, const char *unit) {
    memcpy(q->columns, columns, (size_t)count * sizeof *columns);
    q->column_count = count;
    q->unit = unit;
}

/* ---- OASIS ----------------------------------------------------------------------------------- */

typedef struct oasis_job {
    inference *q;
    vdi_oasis_desc desc;
    double size; /* of a spike */
} oasis_job;

enum { OASIS_COLUMNS = 8 };

static bool is_constant(int64_t n, const double *y, double *level) {
    int64_t seen = 0;
    for (int64_t t = 0; t < n; t++) {
        if (y[t] - y[t] != 0) continue;
        if (seen++ == 0) *level = y[t];
        if (y[t] != *level) return false;
    }
    return seen > 0;
}

static void oasis_constant(int64_t n, double level, double *s, double *p, double *c, double *v) {
    for (int64_t t = 0; t < n; t++) {
        s[t] = p[t] = 0;
        c[t] = level;
    }
    for (int k = 0; k < OASIS_COLUMNS; k++)
        v[k] = k >= 2 && k <= 3 ? NAN : 0; /* no decay can be told */
    v[0] = level;
}

static void oasis_one(int64_t k, int worker, void *user) {
    const oasis_job *j = (const oasis_job *)user;
    const int64_t n = j->q->in->frames, i = j->q->part.at + k;
    const double *y = j->q->part.traces + k * n;
    double *s = j->q->part.spikes + k * n;
    double *p = j->q->part.probability + k * n;
    double *c = j->q->part.denoised + k * n;
    double *v = j->q->values + i * OASIS_COLUMNS;
    vdi_oasis_result q;
    double level = 0;
    (void)worker;
    if (is_constant(n, y, &level)) {
        oasis_constant(n, level, s, p, c, v);
        return;
    }
    if (vdi_oasis(&j->desc, VDI_F64, n, y, NULL, c, s, &q, NULL) < 0) {
        j->q->nothing[i] = 1;
        for (int64_t t = 0; t < n; t++)
            s[t] = p[t] = c[t] = NAN;
        for (int column = 0; column < OASIS_COLUMNS; column++)
            v[column] = NAN;
        return;
    }
    for (int64_t t = 0; t < n; t++) {
        p[t] = s[t] > 0;
        s[t] /= j->size;
        c[t] += q.baseline;
    }
    v[0] = q.baseline;
    v[1] = q.noise;
    v[2] = q.tau_decay;
    v[3] = q.tau_rise;
    v[4] = q.lambda;
    v[5] = q.s_min;
    v[6] = (double)q.events;
    v[7] = (double)q.bridged;
}

static vdi_oasis_desc oasis_desc(const spikes_infer_options *want, int order) {
    vdi_oasis_desc d = want->oasis;
    d.fps = want->fps;
    d.order = order;
    vdi_fields_fill(vdi_oasis_desc_fields(), &d);
    d.has_lambda = want->oasis.has_lambda; /* else it is found from the noise */
    d.has_baseline = want->oasis.has_baseline;
    d.allocator = vdi_allocator_defaults(NULL);
    return d;
}

static int oasis_begin(const spikes_infer_options *want, int order, inference *q) {
    static const char *const columns[OASIS_COLUMNS] = {
        "baseline_trace_units", "noise_trace_units", "tau_decay_s", "tau_rise_s",
        "lambda_trace_units",   "s_min_trace_units", "events",      "bridged_frames"};
    vdi_error err = {0};
    const vdi_oasis_desc desc = oasis_desc(want, order);
    if (order == 1 && want->oasis.tau_rise > 0)
        return usage("--tau-r is for --method oasis-ar2: order 1 has no rise");
    if (want->model) return usage("--model is for networks, OASIS has none");
    if (vdi_oasis_desc_check(&desc, &err) < 0) return usage("%s", err.message);
    if (q->S || want->grid) {
        return usage(
            "--samples and --grid are for networks: OASIS has neither trains nor a finer grid");
    }
    if (q->neurons.most > 1)
        return usage("trials of a neuron share statistics by the networks alone, not by OASIS");
    columns_set(q, columns, OASIS_COLUMNS,
                want->has_spike_size ? "spikes per frame" : "units of the trace");
    q->no_probability = true;
    return DONE;
}

static int oasis_part(run *r, const spikes_infer_options *want, int order, inference *q) {
    oasis_job j;
    j.q = q;
    j.desc = oasis_desc(want, order);
    j.size = want->has_spike_size ? want->spike_size : 1;
    vdi_pool_run(r->pool, q->part.count, oasis_one, &j);
    return DONE;
}

static int oasis1_begin(run *r, const spikes_infer_options *want, inference *q) {
    (void)r;
    return oasis_begin(want, 1, q);
}

static int oasis2_begin(run *r, const spikes_infer_options *want, inference *q) {
    (void)r;
    return oasis_begin(want, 2, q);
}

static int oasis1_part(run *r, const spikes_infer_options *want, inference *q) {
    return oasis_part(r, want, 1, q);
}

static int oasis2_part(run *r, const spikes_infer_options *want, inference *q) {
    return oasis_part(r, want, 2, q);
}

/* ---- a network with the weights that vdi ships with, or with tuned ones ---------------------- */

enum { NETWORK_COLUMNS = 3 };

/* Shorter rows gain by statistics in common (docs/results/pretrained.md). */
static const double short_row = 60;

typedef struct network_state {
    vdi_pretrained *net; /* NULL: the shipped one */
    spikes_engine *engine;
} network_state;

/* Rows that are alone, too short to tell much, and may belong together. */
static void short_tell(const inference *q) {
    const double seconds = (double)q->in->frames / q->fps;
    if (q->neurons.most > 1 || q->in->rows < 2 || seconds >= short_row) return;
    warn("short",
         "%.3g s of a row tell little of its indicator and its noise: are rows trials of one "
         "neuron? Then say which by --trials",
         seconds);
}

static int network_begin(run *r, const spikes_infer_options *want, inference *q,
                         vdi_pretrained *net) {
    static const char *const columns[NETWORK_COLUMNS] = {"noise_trace_units", "scale_trace_units",
                                                         "expected_spikes"};
    network_state *s = (network_state *)calloc(1, sizeof *s);
    if (!s) exit(fail("out of memory"));
    q->own = s;
    s->net = net;
    columns_set(q, columns, NETWORK_COLUMNS, "expected spikes per frame");
    q->has_deviation = true;
    if (want->grid && q->neurons.most > 1)
        return usage("--grid is for single traces: the grids of trials do not meet");
    if (want->grid) q->grid_bins = spikes_pretrained_samples(q->in->frames, q->fps);
    s->engine = spikes_engine_open(r, net, q->neurons.most, q->in->frames, q->fps);
    if (!s->engine) return FAILED;
    short_tell(q);
    return DONE;
}

static int pretrained_begin(run *r, const spikes_infer_options *want, inference *q) {
    return network_begin(r, want, q, NULL);
}

static void network_one(int64_t k, int worker, void *user) {
    inference *q = (inference *)user;
    const network_state *s = (const network_state *)q->own;
    const int64_t n = q->in->frames, i = q->part.at + k, row = part_row(q, k);
    double *v = q->values + i * NETWORK_COLUMNS;
    spikes_pretrained o = {0};
    o.spikes = q->part.spikes + row * n;
    o.probability = q->part.probability + row * n;
    o.denoised = q->part.denoised + row * n;
    o.deviation = q->part.deviation + row * n;
    o.samples = q->grid_bins;
    o.grid = row_of(q->part.grid, row, q->grid_bins);
    o.noise = v;
    o.scale = v + 1;
    o.count = v + 2;
    o.unusual = q->unusual + i;
    o.nothing = q->nothing + i;
    spikes_engine_infer(s->engine, worker, neuron_rows(q, i), q->part.traces + row * n, &o);
}

static int network_part(run *r, const spikes_infer_options *want, inference *q) {
    (void)want;
    vdi_pool_run(r->pool, q->part.count, network_one, q);
    return DONE;
}

static void network_end(inference *q) {
    network_state *s = (network_state *)q->own;
    if (!s) return;
    spikes_engine_close(s->engine);
    vdi_pretrained_destroy(s->net);
    free(s);
    q->own = NULL;
}

/* ---- a network that vdi spikes fit has learned ----------------------------------------------- */

/* Parts are the same for any number of threads, since each draws its trains from a seed of its
 * own. */
enum { FITTED_TOGETHER = 16 };

static int fitted_begin(run *r, const spikes_infer_options *want, inference *q) {
    static const char *const columns[] = {"expected_spikes"};
    spikes_fitted f = {0};
    vdi_pretrained *tuned = NULL;
    f.total = q->in->rows;
    const int code =
        spikes_fitted_infer(r, want->model, 0, q->in->frames, NULL, q->fps, &f, &tuned);
    if (code != DONE) return code;
    if (tuned) return network_begin(r, want, q, tuned);
    if (q->neurons.most > 1)
        return usage("trials share statistics by the network in the box, not by a fitted one");
    q->fine = f.upsample > 0 ? f.upsample : 1;
    columns_set(q, columns, 1, "expected spikes per frame");
    q->together = FITTED_TOGETHER;
    q->trains = true;
    if (want->grid) q->grid_bins = q->in->frames * q->fine;
    return DONE;
}

static int fitted_part(run *r, const spikes_infer_options *want, inference *q) {
    spikes_fitted f = {0};
    const int64_t n = q->in->frames, rows = q->part.rows;
    if (q->own) return network_part(r, want, q);
    f.spikes = q->part.spikes;
    f.probability = q->part.probability;
    f.denoised = q->part.denoised;
    f.samples = q->S;
    f.grid = q->part.grid;
    f.sample = q->part.sample;
    f.first = q->part.row[0];
    f.total = q->in->rows;
    const int code = spikes_fitted_infer(r, want->model, rows, n, q->part.traces, q->fps, &f, NULL);
    for (int64_t i = 0; i < rows * n; i++)
        q->values[q->part.at + i / n] += q->part.spikes[i];
    return code;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* A row each. */
#define METHODS(row)                                               \
    row("pretrained", pretrained_begin, network_part, network_end) \
        row("oasis", oasis1_begin, oasis1_part, NULL)              \
            row("oasis-ar2", oasis2_begin, oasis2_part, NULL)

#define METHOD_ROW(name, begin, part, end) {name, begin, part, end},
#define METHOD_WORD(name, begin, part, end) name,
static const spikes_method methods[] = {METHODS(METHOD_ROW)};
const char *const spikes_method_words[] = {METHODS(METHOD_WORD) NULL};
static const spikes_method fitted = {"fitted", fitted_begin, fitted_part, network_end};

const spikes_method *spikes_method_of(const spikes_infer_options *want) {
    return want->model && want->method == 0 ? &fitted : &methods[want->method];
}
