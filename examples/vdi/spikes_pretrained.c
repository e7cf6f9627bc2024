/* examples/vdi/spikes_pretrained.c - the network in the box over a matrix of traces */
#include "spikes_pretrained.h"
#include "../../include/vdi/model/pretrained/weights.h"

int64_t spikes_pretrained_samples(int64_t frames, double fps) {
    return vdi_pretrained_grid(frames, fps);
}

vdi_pretrained *spikes_pretrained_network(void) {
    vdi_pretrained *net = NULL;
    vdi_error err = {0};
    if (vdi_pretrained_create(&vdi_pretrained_shipped, NULL, &net, &err) < 0)
        (void)fail_error(&err, NULL);
    return net;
}

/* ---- an engine ------------------------------------------------------------------------------- */

enum { OF_FRAMES = 5 }; /* arrays of a result */

struct spikes_engine {
    const vdi_pretrained *net;
    vdi_pretrained *own;
    int64_t trials, frames, gap, joined; /* frames between trials; frames of all of them */
    double fps;
    size_t size;   /* bytes of a worker's memory */
    char *work;    /* (workers, size) */
    double *trace; /* (workers, 1 + OF_FRAMES, joined); NULL for single trials */
};

spikes_engine *spikes_engine_open(const run *r, const vdi_pretrained *net, int64_t trials,
                                  int64_t frames, double fps) {
    spikes_engine *e = (spikes_engine *)calloc(1, sizeof *e);
    if (!e) exit(fail("out of memory"));
    e->net = net ? net : (e->own = spikes_pretrained_network());
    e->trials = trials;
    e->frames = frames;
    e->fps = fps;
    e->gap = (int64_t)ceil(2 * fmin(fps, 1e6)) + 3;
    e->joined = trials * frames + (trials - 1) * e->gap;
    if (e->net && vdi_pretrained_grid(e->joined, fps) < 0) {
        (void)fail("expected at least one frame, a frame rate above 0 and at most 10^9 samples of "
                   "1/60 s, got %lld frames at %g Hz",
                   (long long)e->joined, fps);
        e->net = NULL;
    }
    if (e->net) {
        const int64_t workers = vdi_pool_threads(r->pool);
        e->size = vdi_align_size(vdi_pretrained_memsize(e->net, e->joined, fps));
        e->work = (char *)malloc(e->size * (size_t)workers);
        if (!e->work) (void)fail("no memory for %zu bytes", e->size * (size_t)workers);
        if (trials > 1) e->trace = doubles(workers * (1 + OF_FRAMES) * e->joined);
    }
    if (e->work) return e;
    spikes_engine_close(e);
    return NULL;
}

void spikes_engine_close(spikes_engine *e) {
    if (!e) return;
    vdi_pretrained_destroy(e->own);
    free(e->work);
    free(e->trace);
    free(e);
}

static void set(double *to, double value) {
    if (to) *to = value;
}

/* One trace; what cannot be read has NaN everywhere. */
static void trace_infer(spikes_engine *e, int worker, int64_t frames, const double *trace,
                        vdi_pretrained_result *r, const spikes_pretrained *out) {
    r->noise = r->scale = r->count = r->unusual = NAN;
    /* the sizes were checked before, so all that can fail is a trace without a number */
    if (vdi_pretrained_infer(e->net, VDI_F64, frames, trace, e->fps,
                             e->work + (size_t)worker * e->size, e->size, r, NULL) < 0) {
        double *of_frames[OF_FRAMES] = {(double *)r->spikes, (double *)r->deviation,
                                        (double *)r->probability, (double *)r->denoised,
                                        (double *)r->baseline};
        set(out->nothing, 1);
        for (int k = 0; k < OF_FRAMES; k++) {
            for (int64_t f = 0; of_frames[k] && f < frames; f++)
                of_frames[k][f] = NAN;
        }
        for (int64_t s = 0; r->grid && s < out->samples; s++)
            ((double *)r->grid)[s] = NAN;
    }
    set(out->noise, r->noise);
    set(out->scale, r->scale);
    set(out->count, r->count);
    set(out->unusual, r->unusual);
}

/* Trials as one trace, with gaps between them that nothing crosses. */
static void trials_infer(spikes_engine *e, int worker, int64_t trials, const double *traces,
                         const spikes_pretrained *out) {
    const int64_t n = e->frames, step = n + e->gap, all = trials * step - e->gap;
    double *joined = e->trace + (int64_t)worker * (1 + OF_FRAMES) * e->joined;
    double *to[OF_FRAMES] = {out->spikes, out->deviation, out->probability, out->denoised,
                             out->baseline};
    vdi_pretrained_result r = {0};
    void **from[OF_FRAMES] = {&r.spikes, &r.deviation, &r.probability, &r.denoised, &r.baseline};
    for (int64_t i = 0; i < all; i++)
        joined[i] = i % step < n ? traces[i / step * n + i % step] : NAN;
    for (int k = 0; k < OF_FRAMES; k++)
        if (to[k]) *from[k] = joined + (1 + k) * e->joined;
    trace_infer(e, worker, all, joined, &r, out);
    for (int k = 0; k < OF_FRAMES; k++) {
        for (int64_t i = 0; to[k] && i < trials; i++) {
            memcpy(to[k] + i * n, (const double *)*from[k] + i * step, (size_t)n * sizeof(double));
        }
    }
}

void spikes_engine_infer(spikes_engine *e, int worker, int64_t trials, const double *traces,
                         const spikes_pretrained *out) {
    vdi_pretrained_result r = {0};
    if (trials > 1) {
        trials_infer(e, worker, trials, traces, out);
        return;
    }
    r.spikes = out->spikes;
    r.deviation = out->deviation;
    r.probability = out->probability;
    r.denoised = out->denoised;
    r.baseline = out->baseline;
    r.grid = out->grid;
    trace_infer(e, worker, e->frames, traces, &r, out);
}

/* ---- a matrix of traces ---------------------------------------------------------------------- */

typedef struct job {
    spikes_engine *engine;
    const double *traces;
    const spikes_pretrained *out;
} job;

static double *row(double *p, int64_t i, int64_t n) { return p ? p + i * n : NULL; }

static void infer_one(int64_t i, int worker, void *user) {
    const job *j = (const job *)user;
    const int64_t n = j->engine->frames;
    const spikes_pretrained *all = j->out;
    spikes_pretrained o = {0};
    o.spikes = row(all->spikes, i, n);
    o.deviation = row(all->deviation, i, n);
    o.probability = row(all->probability, i, n);
    o.denoised = row(all->denoised, i, n);
    o.baseline = row(all->baseline, i, n);
    o.samples = all->samples;
    o.grid = row(all->grid, i, all->samples);
    o.noise = row(all->noise, i, 1);
    o.scale = row(all->scale, i, 1);
    o.count = row(all->count, i, 1);
    o.unusual = row(all->unusual, i, 1);
    o.nothing = row(all->nothing, i, 1);
    spikes_engine_infer(j->engine, worker, 1, j->traces + i * n, &o);
}

int spikes_pretrained_infer(run *r, int64_t neurons, int64_t frames, const double *traces,
                            double fps, spikes_pretrained *out) {
    job j = {0};
    out->samples = vdi_pretrained_grid(frames, fps);
    j.engine = spikes_engine_open(r, NULL, 1, frames, fps);
    if (!j.engine) return FAILED;
    j.traces = traces;
    j.out = out;
    vdi_pool_run(r->pool, neurons, infer_one, &j);
    spikes_engine_close(j.engine);
    return DONE;
}
