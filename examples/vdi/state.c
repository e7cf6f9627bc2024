/* examples/vdi/state.c - a model's state with what the tool adds, as a file */
#include "tool.h"

vdi_state *state_copy(const vdi_state *from, int64_t tensors, int64_t notes) {
    vdi_state *s = (vdi_state *)malloc(sizeof *s);
    const size_t t = (size_t)(from->tensor_count + tensors + 1);
    const size_t m = (size_t)(from->meta_count + notes + 1);
    if (!s) exit(fail("out of memory"));
    *s = *from;
    s->tensors = (vdi_named_tensor *)malloc(t * sizeof *s->tensors);
    s->meta = (vdi_meta *)malloc(m * sizeof *s->meta);
    if (!s->tensors || !s->meta) exit(fail("out of memory"));
    if (from->tensor_count) {
        memcpy(s->tensors, from->tensors, (size_t)from->tensor_count * sizeof *s->tensors);
    }
    if (from->meta_count) memcpy(s->meta, from->meta, (size_t)from->meta_count * sizeof *s->meta);
    return s;
}

void state_add(vdi_state *s, const char *name, vdi_tensor t) {
    s->tensors[s->tensor_count].name = name;
    s->tensors[s->tensor_count++].tensor = t;
}

void state_note(vdi_state *s, const char *key, const char *value) {
    s->meta[s->meta_count].key = key;
    s->meta[s->meta_count++].value = value;
}

bool trace_take(const vdi_safetensors *file, int64_t most, double *trace, int64_t *done,
                vdi_error *err) {
    const vdi_tensor t = vdi_safetensors_find(file, "trace");
    if (t.ndim != 1 || t.dtype != VDI_F64) {
        (void)vdi_error_set(err, VDI_ERR_FORMAT, "resume",
                            "expected a trace (iterations,) of float64");
        return false;
    }
    if (t.shape[0] > most) {
        (void)vdi_error_set(err, VDI_ERR_ARGUMENT, "resume",
                            "the run has done %lld iterations, more than --iters %lld",
                            (long long)t.shape[0], (long long)most);
        return false;
    }
    *done = t.shape[0];
    memcpy(trace, t.data, (size_t)*done * sizeof *trace);
    return true;
}

static vdi_status state_write(const char *path, const void *what, vdi_error *err) {
    return vdi_safetensors_save(path, (const vdi_state *)what, err);
}

bool state_save(const run *r, const char *name, vdi_state *s) {
    vdi_error err = {0};
    char *path = path_join(r->out, name);
    const bool ok = save_atomically(path, state_write, s, &err);
    if (!ok) (void)fail_error(&err, path);
    free(path);
    free(s->tensors);
    free(s->meta);
    free(s);
    return ok;
}
