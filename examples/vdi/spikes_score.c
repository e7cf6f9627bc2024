/* examples/vdi/spikes_score.c - vdi spikes score: estimated spikes against true ones */
#include "spikes_neurons.h"

typedef struct score_options {
    double fps;
    bool one_neuron;
    const char *trials;
    int64_t report;
} score_options;

/* What is compared: trains in the order of the neurons, whose rows are trials. */
typedef struct scoring {
    recording est, truth;
    bool times; /* the truth is times of one neuron */
    neuron_list neurons;
    vdi_score_train *trial; /* (rows) */
    double *value;          /* (neurons,MEANS) */
    double *delayed;        /* (neurons,VDI_SCORE_DELAYS) */
    double expected, spikes, silent;
} scoring;

/* Measures of a neuron, whose means are told, in this order. */
enum { MEANS = 10 };
static const char *const measure[MEANS] = {"r25", "r40g", "r160g", "auc",   "c25",
                                           "c50", "c100", "c200",  "count", "ln"};

static void measures_of(const vdi_score_spikes_result *s, double v[MEANS]) {
    const double from[MEANS] = {s->r25, s->r40g, s->r160g, s->auc,   s->c25,
                                s->c50, s->c100, s->c200,  s->count, 0};
    memcpy(v, from, sizeof from);
    v[MEANS - 1] = fabs(log(fmax(s->count, 1e-3)));
    if (s->count != s->count) v[MEANS - 1] = NAN;
}

/* Refuses counts that are none; says where they may be an estimate. */
static bool truth_check(const scoring *c) {
    const double *y = (const double *)c->truth.y.data;
    const int64_t count = vdi_tensor_count(c->truth.y);
    int64_t odd = 0;
    for (int64_t i = 0; i < count; i++) {
        if (y[i] >= 1e9) {
            (void)fail("row %lld, frame %lld holds %g spikes; expected less than 1e9, in %s",
                       (long long)(i / c->est.frames), (long long)(i % c->est.frames), y[i],
                       c->truth.file);
            return false;
        }
        odd += y[i] < 0 || (y[i] == y[i] && y[i] != floor(y[i]));
    }
    if (odd > 0) {
        warn("truth",
             "%lld of %lld true counts in %s are negative or no whole numbers: EST comes first",
             (long long)odd, (long long)count, c->truth.file);
    }
    return true;
}

/* Trains of every neuron, the true ones as times in seconds. */
static void trains_make(scoring *c) {
    c->trial = (vdi_score_train *)calloc((size_t)c->est.neurons, sizeof *c->trial);
    if (!c->trial) exit(fail("out of memory"));
    for (int64_t k = 0; k < c->est.neurons; k++) {
        const int64_t i = c->neurons.member[k], n = c->est.frames;
        const double *counts = (const double *)c->truth.y.data + (c->times ? 0 : i * n);
        vdi_score_train *t = &c->trial[k];
        t->frames = n;
        t->fps = c->est.fps;
        t->estimate = (const double *)c->est.y.data + i * n;
        t->times = counts;
        t->spikes = vdi_tensor_count(c->truth.y);
        if (c->times) continue;
        double *own = doubles(vdi_score_spikes_times(n, t->fps, counts, NULL));
        t->spikes = vdi_score_spikes_times(n, t->fps, counts, own);
        t->times = own;
    }
}

static void scoring_free(scoring *c) {
    for (int64_t i = 0; c->trial && i < c->est.neurons && !c->times; i++) {
        double *t;
        memcpy(&t, &c->trial[i].times, sizeof t);
        free(t);
    }
    free(c->trial);
    free(c->value);
    free(c->delayed);
    neurons_free(&c->neurons);
    if (c->est.y.data) vdi_tensor_free(NULL, &c->est.y);
    if (c->truth.y.data) vdi_tensor_free(NULL, &c->truth.y);
}

/* Which rows are trials of a neuron. */
static bool groups_make(const score_options *want, scoring *c) {
    trace_source rows = {0};
    rows.rows = c->est.neurons;
    rows.ndim = c->est.y.ndim;
    memcpy(rows.shape, c->est.y.shape, sizeof rows.shape);
    if (want->one_neuron) { /* one of so many trials */
        rows.ndim = 3;
        rows.shape[1] = c->est.neurons;
    }
    return neurons_read(want->trials, &rows, &c->neurons);
}

static int neurons_score(scoring *c, const char *file) {
    vdi_error err = {0};
    const neuron_list *l = &c->neurons;
    const size_t numbers = vdi_score_spikes_work(c->est.neurons, c->trial);
    if (numbers == SIZE_MAX) {
        return fail("expected trials that fit into memory, got %lld frames at %g Hz, in %s",
                    (long long)c->est.frames, c->est.fps, file);
    }
    double *work = doubles((int64_t)numbers);
    int code = DONE;
    c->value = doubles(l->count * MEANS);
    c->delayed = doubles(l->count * VDI_SCORE_DELAYS);
    for (int64_t i = 0; code == DONE && i < l->count; i++) {
        vdi_score_spikes_result s;
        const int64_t first = l->begin[i];
        if (vdi_score_spikes(l->begin[i + 1] - first, c->trial + first, work, &s, &err) < 0) {
            code = fail_error(&err, file);
            break;
        }
        measures_of(&s, c->value + i * MEANS);
        memcpy(c->delayed + i * VDI_SCORE_DELAYS, s.delayed, sizeof s.delayed);
        c->silent += s.spikes == 0;
        c->expected += s.expected;
        c->spikes += (double)s.spikes;
    }
    free(work);
    return code;
}

/* The delay that is best for all neurons together, in steps of VDI_SCORE_DELAYS. */
static int best_delay(const scoring *c) {
    double most = -HUGE_VAL;
    int best = VDI_SCORE_DELAYS / 2;
    for (int k = 0; k < VDI_SCORE_DELAYS; k++) {
        double sum = 0;
        for (int64_t i = 0; i < c->neurons.count; i++) {
            const double v = c->delayed[i * VDI_SCORE_DELAYS + k];
            if (v == v) sum += v;
        }
        if (!(sum > most)) continue;
        most = sum;
        best = k;
    }
    return best;
}

/* Mean over the neurons that have this measure. */
static double mean_of(const scoring *c, const double *value, int stride) {
    double sum = 0, seen = 0;
    for (int64_t i = 0; i < c->neurons.count; i++) {
        const double v = value[i * stride];
        if (v != v) continue;
        sum += v;
        seen++;
    }
    return seen > 0 ? sum / seen : NAN;
}

static void tell(const run *r, const scoring *c) {
    const int best = best_delay(c);
    told t = {0};
    for (int k = 0; k < MEANS; k++)
        told_add(&t, measure[k], mean_of(c, c->value + k, MEANS));
    told_add(&t, "r160L", mean_of(c, c->delayed + best, VDI_SCORE_DELAYS));
    told_add(&t, "delay_ms", 40.0 * (best - VDI_SCORE_DELAYS / 2));
    told_add(&t, "neurons", (double)c->neurons.count);
    told_add(&t, "neurons_without_spikes", c->silent);
    told_add(&t, "estimated_spikes", c->expected);
    told_add(&t, "true_spikes", c->spikes);
    print_results(r, t.key, t.value, t.count);
}
/* ---- files ----------------------------------------------------------------------------------- */

static bool scores_save(const run *r, const scoring *c) {
    vdi_named_tensor column[MEANS + 1];
    const vdi_tensor all = vdi_tensor_2d(c->value, VDI_F64, c->neurons.count, MEANS);
    column[0].name = "neuron";
    column[0].tensor = vdi_tensor_1d(c->neurons.name, VDI_F64, c->neurons.count);
    for (int k = 0; k < MEANS; k++) {
        column[k + 1].name = measure[k];
        column[k + 1].tensor = vdi_tensor_index(all, 1, k);
    }
    return save_csv(r, "scores.csv", column, MEANS + 1);
}

/* A rate in Hz on a grid of 20 Hz: each event spread by a Gaussian of 0.1 s. */
enum { CURVE_RATE = 20 };
static void spread(double *curve, int64_t n, double time, double weight) {
    const double at = time * CURVE_RATE, sigma = 0.1 * CURVE_RATE;
    const int64_t from = (int64_t)floor(at - 4 * sigma), to = (int64_t)ceil(at + 4 * sigma);
    for (int64_t i = from < 0 ? 0 : from; i <= to && i < n; i++) {
        const double z = ((double)i - at) / sigma;
        curve[i] += weight * CURVE_RATE * exp(-0.5 * z * z) / (sigma * sqrt(2 * VDI_PI));
    }
}

static void neuron_draw(vdi_page *page, const scoring *c, int64_t i) {
    const int64_t first = c->neurons.begin[i], trials = c->neurons.begin[i + 1] - first;
    const double seconds = (double)c->est.frames / c->est.fps;
    const int64_t n = (int64_t)(seconds * CURVE_RATE * (double)trials) + 1;
    double *estimate = doubles(n), *truth = doubles(n);
    const double *v = c->value + i * MEANS;
    char text[200];
    vdi_figure_desc desc = {0};
    vdi_figure f;
    for (int64_t k = 0; k < trials; k++) {
        const vdi_score_train *t = &c->trial[first + k];
        const double from = seconds * (double)k;
        for (int64_t j = 0; j < t->frames; j++) {
            if (t->estimate[j] - t->estimate[j] == 0)
                spread(estimate, n, from + (double)j / t->fps, t->estimate[j]);
        }
        for (int64_t j = 0; j < t->spikes; j++)
            spread(truth, n, from + t->times[j], 1);
    }
    desc.height = 120;
    vdi_figure_init(&f, &desc);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->x.label = "time (s)";
    p->y.label = "rate (Hz)";
    p->dx = 1.0 / CURVE_RATE;
    vdi_panel_line(p, "truth", vdi_tensor_1d(truth, VDI_F64, n))->color = VDI_COLOR_GREY;
    vdi_panel_line(p, "estimate", vdi_tensor_1d(estimate, VDI_F64, n))->color = VDI_COLOR_VERMILION;
    snprintf(text, sizeof text, "Neuron %g, both smoothed by 0.1 s: c100 %.3f, count %.2f.",
             c->neurons.name[i], v[6], v[8]);
    vdi_page_figure(page, &f, text);
    vdi_figure_free(&f);
    free(estimate);
    free(truth);
}

static bool report_write(const run *r, const score_options *want, const scoring *c) {
    char text[600];
    report p;
    if (!report_open(&p, r->out, "report.html", "Estimated against true spikes")) return false;
    snprintf(text, sizeof text, "%s against %s: %lld neurons at %g Hz, vdi %s.", c->est.file,
             c->truth.file, (long long)c->neurons.count, c->est.fps, VDI_VERSION);
    vdi_page_text(&p.page, text);
    for (int64_t i = 0; i < c->neurons.count && i < want->report; i++)
        neuron_draw(&p.page, c, i);
    vdi_page_heading(&p.page, 2, "Each neuron");
    vdi_page_numbers(&p.page, measure, NULL,
                     vdi_tensor_2d(c->value, VDI_F64, c->neurons.count, MEANS), 3);
    return report_close(&p);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int score(run *r, const score_options *want, scoring *c) {
    if (!traces_load(r->argument[0], 1, &c->est) || !traces_load(r->argument[1], 0, &c->truth))
        return FAILED;
    if (c->est.neurons < 1) return fail("expected at least one neuron, in %s", r->argument[0]);
    c->est.fps = want->fps;
    const bool same = vdi_tensor_same_shape(c->est.y, c->truth.y);
    c->times = !same && c->est.neurons == 1 && c->truth.y.ndim == 1;
    if (!same && !c->times) {
        char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
        return fail("expected counts per frame of shape %s (or, for one neuron, its spike times in "
                    "seconds), got %s, in %s",
                    vdi_tensor_shape_text(c->est.y, a), vdi_tensor_shape_text(c->truth.y, b),
                    r->argument[1]);
    }
    if (!c->times && !truth_check(c)) return FAILED;
    if (!groups_make(want, c)) return FAILED;
    trains_make(c);
    const int code = neurons_score(c, r->argument[0]);
    if (code != DONE) return code;
    if (r->out && !(run_open_out(r) && scores_save(r, c) && report_write(r, want, c)))
        return FAILED;
    tell(r, c);
    return DONE;
}

static int score_main(run *r, void *options) {
    const score_options *want = (const score_options *)options;
    scoring c;
    memset(&c, 0, sizeof c);
    if (!fps_given(want->fps)) return USAGE;
    const int code = score(r, want, &c);
    scoring_free(&c);
    return code;
}

static const option score_rows[] = {
    FPS_OPTION(score_options),
    OPTION("one-neuron", NULL,
           VDI_FIELD_BOOL(score_options, one_neuron,
                          "the rows are trials of one neuron, not neurons")),
    OPTION_TEXT(score_options, trials, "trials", "IDS.npy", NULL,
                "the neuron of each row: rows of one neuron are its trials"),
    OPTION("report", "N",
           VDI_FIELD_INT(score_options, report, 8, 0, 1000000,
                         "with --out: neurons drawn in report.html, truth beside estimate")),
};
const command spikes_score_command = {
    .family = "spikes",
    .verb = "score",
    .arguments = "EST TRUTH",
    .least = 2,
    .most = 2,
    .summary =
        "Score estimated spikes per frame, (neurons,frames), (neurons,trials,frames) or (frames,), "
        "against true counts per frame of the same shape (or, for one neuron, its spike times in "
        "seconds; 0 is the centre of frame 0). Correlation in 40 ms bins (r25), smoothed by 40 and "
        "160 ms (r40g, r160g), on a grid of 100 Hz smoothed by 25 to 200 ms (c25 to c200), the ROC "
        "area (auc), expected over true number (count) and its mean absolute logarithm (ln): means "
        "over the neurons with spikes. delay_ms: the shift of the estimate, in steps of 40 ms, "
        "that "
        "is best for all of them together (below 0: the estimate comes late), and r160L: r160g "
        "with "
        "it. --out: also scores.csv and report.html.",
    .example = "vdi spikes score run/spikes.npy spikes.npy --fps 30 --json",
    COMMAND_OPTIONS(score_rows),
    .size = sizeof(score_options),
    .main = score_main,
};
