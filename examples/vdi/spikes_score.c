/* examples/vdi/spikes_score.c - vdi spikes score: estimated spikes against true ones */
#include "spikes.h"

typedef struct score_options {
    double fps;
    bool one_neuron;
} score_options;

/* Trains of every neuron, the true ones as times in seconds. */
static vdi_score_train *trains(const recording *est, const recording *truth, bool times) {
    vdi_score_train *trial = (vdi_score_train *)calloc((size_t)est->neurons, sizeof *trial);
    if (!trial) exit(fail("out of memory"));
    for (int64_t i = 0; i < est->neurons; i++) {
        const double *counts = (const double *)truth->y.data + i * est->frames;
        trial[i].frames = est->frames;
        trial[i].fps = est->fps;
        trial[i].estimate = (const double *)est->y.data + i * est->frames;
        trial[i].times = counts;
        trial[i].spikes = vdi_tensor_count(truth->y);
        if (times) continue;
        double *t = doubles(vdi_score_spikes_times(est->frames, est->fps, counts, NULL));
        trial[i].spikes = vdi_score_spikes_times(est->frames, est->fps, counts, t);
        trial[i].times = t;
    }
    return trial;
}

static void trains_free(vdi_score_train *trial, int64_t count, bool times) {
    for (int64_t i = 0; i < count && !times; i++) {
        double *t;
        memcpy(&t, &trial[i].times, sizeof t);
        free(t);
    }
    free(trial);
}

enum { MEANS = 4, KEYS = 8 };

/* Means over `units` neurons of `each` trials: r25 r40g r160g auc, and sums. */
static int means(const vdi_score_train *trial, int64_t units, int64_t each, const char *file,
                 double values[KEYS]) {
    vdi_error err = {0};
    double sum[MEANS] = {0}, seen[MEANS] = {0}, expected = 0, spikes = 0;
    double *work = doubles((int64_t)vdi_score_spikes_work(each, trial));
    int64_t silent = 0;
    int code = DONE;
    for (int64_t i = 0; code == DONE && i < units; i++) {
        vdi_score_spikes_result s;
        if (vdi_score_spikes(each, trial + i * each, work, &s, &err) < 0) {
            code = fail_error(&err, file);
            break;
        }
        const double v[MEANS] = {s.r25, s.r40g, s.r160g, s.auc};
        for (int k = 0; k < MEANS; k++) {
            if (v[k] != v[k]) continue;
            sum[k] += v[k];
            seen[k]++;
        }
        silent += s.spikes == 0;
        expected += s.expected;
        spikes += (double)s.spikes;
    }
    free(work);
    for (int k = 0; k < MEANS; k++)
        values[k] = seen[k] > 0 ? sum[k] / seen[k] : NAN;
    values[4] = (double)units;
    values[5] = (double)silent;
    values[6] = expected;
    values[7] = spikes;
    return code;
}

static int score_main(run *r, void *options) {
    static const char *const keys[KEYS] = {"r25",
                                           "r40g",
                                           "r160g",
                                           "auc",
                                           "neurons",
                                           "neurons_without_spikes",
                                           "estimated_spikes",
                                           "true_spikes"};
    const score_options *want = (const score_options *)options;
    recording est, truth;
    double values[KEYS];
    if (!fps_given(want->fps)) return USAGE;
    if (!traces_load(r->argument[0], 1, &est) || !traces_load(r->argument[1], 0, &truth))
        return FAILED;
    est.fps = want->fps;
    const bool same = vdi_tensor_same_shape(est.y, truth.y);
    const bool times = !same && est.neurons == 1 && truth.y.ndim == 1;
    if (!same && !times) {
        char a[VDI_SHAPE_TEXT], b[VDI_SHAPE_TEXT];
        return fail("expected counts per frame of shape %s (or, for one neuron, its spike times in "
                    "seconds), got %s, in %s",
                    vdi_tensor_shape_text(est.y, a), vdi_tensor_shape_text(truth.y, b),
                    r->argument[1]);
    }
    vdi_score_train *trial = trains(&est, &truth, times);
    const int64_t units = want->one_neuron ? 1 : est.neurons;
    const int code = means(trial, units, est.neurons / units, r->argument[0], values);
    if (code == DONE) print_results(r, keys, values, KEYS);
    trains_free(trial, est.neurons, times);
    vdi_tensor_free(NULL, &est.y);
    vdi_tensor_free(NULL, &truth.y);
    return code;
}

static const option score_rows[] = {
    FPS_OPTION(score_options),
    OPTION("one-neuron", NULL,
           VDI_FIELD_BOOL(score_options, one_neuron,
                          "the rows are trials of one neuron, not neurons")),
};
const command spikes_score_command = {
    .family = "spikes",
    .verb = "score",
    .arguments = "EST TRUTH",
    .least = 2,
    .most = 2,
    .summary =
        "Score estimated spikes per frame, (neurons,frames) or (frames,), against true counts per "
        "frame of the same shape (or, for one neuron, its spike times in seconds; 0 is the centre "
        "of frame 0). Correlation in 40 ms bins (r25), smoothed by 40 and 160 ms (r40g, r160g), "
        "and the ROC area (auc): means over the neurons with spikes.",
    .example = "vdi spikes score run/spikes.npy spikes.npy --fps 30 --json",
    COMMAND_OPTIONS(score_rows),
    .size = sizeof(score_options),
    .main = score_main,
};
