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

typedef struct job {
    const vdi_pretrained *net;
    int64_t frames;
    const double *traces;
    double fps;
    size_t size; /* bytes of a worker's memory */
    char *work;
    spikes_pretrained *out;
} job;

static double *row(double *p, int64_t i, int64_t n) { return p ? p + i * n : NULL; }

static void infer_one(int64_t i, int worker, void *user) {
    const job *j = (const job *)user;
    spikes_pretrained *o = j->out;
    const int64_t n = j->frames;
    vdi_pretrained_result r = {0};
    r.spikes = row(o->spikes, i, n);
    r.probability = row(o->probability, i, n);
    r.denoised = row(o->denoised, i, n);
    r.baseline = row(o->baseline, i, n);
    r.grid = row(o->grid, i, o->samples);
    r.noise = r.scale = r.count = NAN;
    /* the sizes were checked before, so all that can fail is a trace without a number */
    if (vdi_pretrained_infer(j->net, VDI_F64, n, j->traces + i * n, j->fps,
                             j->work + (size_t)worker * j->size, j->size, &r, NULL) < 0) {
        double *of_frames[4] = {(double *)r.spikes, (double *)r.probability, (double *)r.denoised,
                                (double *)r.baseline};
        if (o->nothing) o->nothing[i] = 1;
        for (int k = 0; k < 4; k++) {
            for (int64_t f = 0; of_frames[k] && f < n; f++)
                of_frames[k][f] = NAN;
        }
        for (int64_t s = 0; r.grid && s < o->samples; s++)
            ((double *)r.grid)[s] = NAN;
    }
    if (o->noise) o->noise[i] = r.noise;
    if (o->scale) o->scale[i] = r.scale;
    if (o->count) o->count[i] = r.count;
}

int spikes_pretrained_infer(run *r, int64_t neurons, int64_t frames, const double *traces,
                            double fps, spikes_pretrained *out) {
    job j = {0};
    out->samples = vdi_pretrained_grid(frames, fps);
    if (out->samples < 0) {
        return fail(
            "expected at least one frame and a frame rate above 0, got %lld frames at %g Hz",
            (long long)frames, fps);
    }
    vdi_pretrained *net = spikes_pretrained_network();
    if (!net) return FAILED;
    j.net = net;
    j.frames = frames;
    j.traces = traces;
    j.fps = fps;
    j.out = out;
    j.size = vdi_align_size(vdi_pretrained_memsize(net, frames, fps));
    const size_t bytes = j.size * (size_t)vdi_pool_threads(r->pool);
    int code = DONE;
    if ((j.work = (char *)malloc(bytes)) != NULL)
        vdi_pool_run(r->pool, neurons, infer_one, &j);
    else
        code = fail("no memory for %zu bytes", bytes);
    free(j.work);
    vdi_pretrained_destroy(net);
    return code;
}
