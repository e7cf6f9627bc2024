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

bool traces_load(const char *path, int64_t least, recording *o) {
    char text[VDI_SHAPE_TEXT];
    o->file = path;
    if (!array_load(path, &o->y)) return false;
    if (o->y.ndim == 2 && o->y.shape[1] == 1) { /* a table of one column is one trace */
        o->y.ndim = 1;
        o->y.stride[0] = 1;
    }
    o->neurons = o->y.ndim == 2 ? o->y.shape[0] : 1;
    o->frames = o->y.ndim > 0 ? o->y.shape[o->y.ndim - 1] : 0;
    if (o->y.ndim >= 1 && o->y.ndim <= 2 && o->neurons >= 1 && o->frames >= least) return true;
    (void)fail("expected (neurons,frames) or (frames,) with at least %lld frames, got %s, in %s",
               (long long)least, vdi_tensor_shape_text(o->y, text), path);
    return false;
}

vdi_tensor traces_matrix(const recording *o) {
    return vdi_tensor_2d(o->y.data, VDI_F64, o->neurons, o->frames);
}
