/* examples/vdi/lds_stream.c - vdi lds smooth of long trials: moments are written as they come
 *
 * Forward, bin by bin, a filter gives what is predicted and filtered, and the innovations; back,
 * stretch by stretch, the smoother gives the rest. Held are the data, the smoothed means and a
 * stretch.
 */
#include "lds.h"

enum { CHUNK = 4096 }; /* bins that are written at once */
enum { MP, MF, MS, PP, PF, PS, PC, INNOVATIONS, YS, YV, FILES };

typedef struct stream {
    const observations *o;
    const vdi_lds *lds;
    bool shared; /* all trials have one covariance sequence */
    double *ms;  /* (trials,T,d) */
    rows_out file[FILES];
    double *buffer[FILES];
} stream;

static const char *const file_name[FILES] = {
    [MP] = "mp", [MF] = "mf", [MS] = "ms", [PP] = "Pp", [PF] = "Pf",
    [PS] = "Ps", [PC] = "Pc", [YS] = "ys", [YV] = "yv", [INNOVATIONS] = "innovations"};

/* Bins of a trial in a file. */
static int64_t file_bins(const stream *s, int which) { return s->o->T - (which == PC); }

/* Numbers of a bin in it. */
static int64_t file_width(const stream *s, int which) {
    const int64_t d = s->lds->desc.d;
    if (which <= MS) return d;
    return which <= PC ? d * d : s->o->n;
}

static bool files_open(const run *r, stream *s) {
    const int64_t d = s->lds->desc.d;
    for (int i = 0; i < FILES; i++) {
        const bool covariance = i >= PP && i <= PC;
        rows_shape shape = {.dtype = VDI_F64, .columns = covariance ? d : file_width(s, i)};
        shape.each = covariance ? d : file_bins(s, i);
        if (covariance && !s->shared) shape.planes = s->o->trials;
        s->buffer[i] = doubles(CHUNK * file_width(s, i));
        if (!rows_begin(r, file_name[i], &shape, false, &s->file[i])) return false;
        /* a stack is as long as it will be from the start on */
        if (shape.planes &&
            !rows_write(&s->file[i], s->o->trials * file_bins(s, i) * d - 1, s->buffer[i]))
            return false;
    }
    return true;
}

/* All is written, or nothing more will be. */
static bool files_close(stream *s, bool ok) {
    for (int i = 0; i < FILES; i++) {
        const int64_t trials = s->shared && i >= PP && i <= PC ? 1 : s->o->trials;
        const int64_t of_bin = i >= PP && i <= PC ? s->lds->desc.d : 1;
        const int64_t planes = s->file[i].shape.planes ? s->file[i].shape.planes : 1;
        if (ok && s->file[i].path)
            ok = rows_end(&s->file[i], trials / planes * file_bins(s, i) * of_bin);
        else if (s->file[i].path)
            rows_leave(&s->file[i]);
        free(s->buffer[i]);
    }
    return ok;
}

/* `bins` bins of a trial from bin t on. Covariances that all trials share are written once. */
static bool bins_write(stream *s, int which, int64_t trial, int64_t t, int64_t bins,
                       const double *x) {
    const bool covariance = which >= PP && which <= PC;
    const int64_t of_bin = covariance ? s->lds->desc.d : 1;
    if (covariance && s->shared && trial > 0) return true;
    return rows_write_some(&s->file[which], (trial * file_bins(s, which) + t) * of_bin,
                           bins * of_bin, x);
}

/* ---- forward --------------------------------------------------------------------------------- */

static const double *inputs_of(const observations *o, int64_t trial, int64_t t) {
    return o->inputs ? (const double *)o->u.data + (trial * o->T + t) * o->inputs : NULL;
}

static bool filter_write(stream *s, int64_t trial, int64_t t, int64_t bins) {
    static const int which[] = {MP, MF, PP, PF, INNOVATIONS};
    for (size_t i = 0; i < VDI__COUNT(which); i++)
        if (!bins_write(s, which[i], trial, t, bins, s->buffer[which[i]])) return false;
    return true;
}

static bool filter_trial(stream *s, int64_t trial, vdi_lds_filter *f) {
    const observations *o = s->o;
    const int64_t d = s->lds->desc.d, length = o->lengths ? o->lengths[trial] : o->T;
    const size_t mean = (size_t)d * sizeof(double), block = mean * (size_t)d;
    vdi_error err = {0};
    for (int64_t t = 0; t < length && !interrupted(); t++) {
        const int64_t at = t % CHUNK;
        const double *u = inputs_of(o, trial, t);
        vdi_lds_predict(f, u);
        memcpy(s->buffer[MP] + at * d, f->mean, mean);
        memcpy(s->buffer[PP] + at * d * d, f->cov, block);
        const double *y = (const double *)o->y.data + (trial * o->T + t) * o->n;
        if (vdi_lds_update(f, y, u, &err) < 0) {
            (void)fail_error(&err, o->file);
            return false;
        }
        memcpy(s->buffer[MF] + at * d, f->mean, mean);
        memcpy(s->buffer[PF] + at * d * d, f->cov, block);
        vdi_lds_innovation(f, s->buffer[INNOVATIONS] + at * o->n);
        if ((at + 1 == CHUNK || t + 1 == length) && !filter_write(s, trial, t - at, at + 1))
            return false;
    }
    return true;
}

static bool filter_all(const run *r, stream *s) {
    const size_t size = vdi_lds_filter_memsize(s->lds);
    vdi_error err = {0};
    vdi_lds_filter f;
    void *block = malloc(size);
    if (!block) exit(fail("out of memory"));
    bool ok = true;
    for (int64_t i = 0; ok && i < s->o->trials && !interrupted(); i++) {
        if (vdi_lds_filter_init(&f, s->lds, block, size, &err) < 0) {
            (void)fail_error(&err, r->argument[0]);
            ok = false;
        }
        ok = ok && filter_trial(s, i, &f);
    }
    free(block);
    return ok;
}

/* ---- back ------------------------------------------------------------------------------------ */

/* Mean and variance of the observations of a bin. */
static void fitted(stream *s, int64_t trial, int64_t t, const double *z, const double *P,
                   double *mean, double *var) {
    const vdi_lds *p = s->lds;
    const int64_t n = p->desc.n, d = p->desc.d, U = p->desc.inputs;
    const double *u = inputs_of(s->o, trial, t);
    for (int64_t j = 0; j < n; j++) {
        const double *c = p->C + j * d;
        double sum = p->b[j], square = p->R[j * (n + 1)];
        for (int64_t k = 0; k < d; k++) {
            double row = 0;
            for (int64_t l = 0; l < d; l++)
                row += P[k * d + l] * c[l];
            sum += c[k] * z[k];
            square += c[k] * row;
        }
        for (int64_t k = 0; k < U; k++)
            sum += p->D[j * U + k] * u[k];
        mean[j] = sum;
        var[j] = square;
    }
}

static vdi_status stretch_take(void *user, const vdi_lds_stretch *x, vdi_error *err) {
    stream *s = (stream *)user;
    const int64_t n = s->o->n, d = s->lds->desc.d;
    const int64_t length = s->o->lengths ? s->o->lengths[x->trial] : s->o->T;
    const int64_t pairs = x->bins - (x->first + x->bins == length);
    bool ok = bins_write(s, MS, x->trial, x->first, x->bins, x->ms) &&
              bins_write(s, PS, x->trial, x->first, x->bins, x->Ps) &&
              bins_write(s, PC, x->trial, x->first, pairs, x->Pc);
    if (s->ms) {
        memcpy(s->ms + (x->trial * s->o->T + x->first) * d, x->ms,
               (size_t)(x->bins * d) * sizeof *x->ms);
    }
    for (int64_t t = 0; ok && t < x->bins; t++) {
        const int64_t at = t % CHUNK;
        fitted(s, x->trial, x->first + t, x->ms + t * d, x->Ps + t * d * d, s->buffer[YS] + at * n,
               s->buffer[YV] + at * n);
        if (at + 1 < CHUNK && t + 1 < x->bins) continue;
        ok = bins_write(s, YS, x->trial, x->first + t - at, at + 1, s->buffer[YS]) &&
             bins_write(s, YV, x->trial, x->first + t - at, at + 1, s->buffer[YV]);
    }
    if (!ok) return vdi_error_set(err, VDI_ERR_IO, "lds smooth", "%s", "");
    return interrupted() ? vdi_error_set(err, VDI_ERR_STATE, "lds smooth", "interrupted") : VDI_OK;
}

bool lds_stream(const run *r, const observations *o, const vdi_lds *lds, vdi_lds_data *data,
                double *ms, double *ll) {
    stream s;
    vdi_error err = {0};
    memset(&s, 0, sizeof s);
    s.o = o;
    s.lds = lds;
    s.ms = ms;
    s.shared = vdi_lds_data_lanes(data) == 1;
    bool ok = files_open(r, &s) && filter_all(r, &s) && !interrupted();
    if (ok && vdi_lds_smooth_each(lds, data, stretch_take, &s, ll, &err) < 0) {
        if (err.message[0] && !interrupted()) (void)fail_error(&err, o->file);
        ok = false;
    }
    ok = files_close(&s, ok);
    return ok && array_save(r, "ll", 1, &o->trials, ll);
}
