/* model/vilds/batch.h - batches: windows of trials in the form that the networks and the algebra
 * over time use
 *
 * A batch packs the valid bins of ragged trials one after another, so networks never see padding;
 * trials meet the padded algebra over time through one gather. A batch of equal lengths needs no
 * gather at all. All its memory is of the model's arena.
 */
#ifndef VDI_MODEL_VILDS_BATCH_H
#define VDI_MODEL_VILDS_BATCH_H
#include "model.h"
#endif /* VDI_MODEL_VILDS_BATCH_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_BATCH_C)
#define VDI_MODEL_VILDS_BATCH_C

/* Bins first .. first + length of a trial; `hide`: a channel that is left out, or -1. */
typedef struct vdi__vilds_item {
    int64_t trial, first, length, hide;
} vdi__vilds_item;

VDI__FN vdi__vilds_item vdi__vilds_whole(const vdi_vilds_data *data, int64_t trial) {
    vdi__vilds_item it;
    it.trial = trial;
    it.first = 0;
    it.length = data->length[trial];
    it.hide = -1;
    return it;
}

typedef struct vdi__vilds_batch {
    vdi_trial_info info;
    vdi__trial_rows rows;
    vdi_tensor x;         /* (B,T,n), or (1,rows and gaps,n) if not dense: the encoder's input */
    vdi_tensor indicator; /* 1 where x is missing: as x, or (B,n) if by_trial; or null */
    vdi_tensor y, mask;   /* (rows,n); the mask may be null, y if the rows are lent */
    vdi_tensor offset;    /* (rows,n) log exposure, or null */
    vdi_tensor silent; /* (B,T,1) float64, 0 where nothing is seen; null if there is no such bin */
    vdi_tensor u;      /* (B,T,inputs) float64 */
    bool dense, by_trial;
    int64_t bins;                 /* that count */
    int64_t *bin_row;             /* (B T): the row of x of each bin; if not dense */
    int64_t *row_trial;           /* (rows of x): its trial; if not dense */
    double *constant;             /* (B): sum of log y! over what is seen */
    double *joint_y, *joint_mask; /* (B,T,n) with padding; under a log joint of the user's own */
} vdi__vilds_batch;

/* Does the expected log likelihood have a closed form? */
VDI__FN bool vdi__vilds_closed(const vdi_vilds *m) {
    const vdi_vilds_desc *d = &m->desc;
    const vdi__obs_ops *obs = vdi__vilds_obs(d);
    return obs && obs->expected && d->layers == 0 && d->transition_layers == 0 &&
           !(obs->linked && d->link != VDI_VILDS_EXP);
}

/* x = (y - mean) / sd, with the model's mean and sd; missing values become 0. */
VDI__FN void vdi__vilds_standardise(const vdi_vilds *m, vdi_vilds_data *data) {
    const int64_t n = data->n;
    if (data->stats == m->stats) return;
    for (int64_t i = 0; i < data->trials * data->T * n; i++) {
        const double y = vdi_dtype_load(data->dtype, data->y, i);
        const double x = (y - m->mean[i % n]) / m->sd[i % n];
        vdi_dtype_store(data->dtype, data->x, i, vdi__vilds_seen(data, i / n, i % n) ? x : 0);
    }
    data->stats = m->stats;
}

VDI__FN vdi_status vdi__joint_open(vdi_vilds *m, vdi__vilds_batch *b, vdi_error *err);

/* ---- packing --------------------------------------------------------------------------------- */

/* A batch on its way. */
typedef struct vdi__vilds_packer {
    const vdi_vilds_data *data;
    vdi__vilds_batch *b;
    vdi_dtype dtype;
    size_t row; /* bytes of n values */
    int64_t n, gap, x_rows;
    bool by_bin, hidden, quiet; /* masks by bin; some channels left out; some bin shows nothing */
    bool counted;               /* those that are left out are hidden from the encoder alone */
    char *x, *y, *mask, *indicator, *offset;
    double *silent, *u;
    int64_t *length, *first, *trial, *from;
    bool *start;
} vdi__vilds_packer;

/* One item of it: which, and its first rows in y and in x. */
typedef struct vdi__vilds_place {
    const vdi__vilds_item *item;
    const unsigned char *visible; /* (n) or NULL: all */
    int64_t i, row, x_row;
} vdi__vilds_place;

VDI__FN bool vdi__vilds_visible(const vdi__vilds_place *p, int64_t j) {
    return (!p->visible || p->visible[j]) && p->item->hide != j;
}

VDI__FN bool vdi__vilds_pack_reserve(vdi__vilds_packer *p, vdi_arena *a, int64_t inputs,
                                     bool lend) {
    vdi__vilds_batch *b = p->b;
    const size_t count = (size_t)b->info.trials, bins = count * (size_t)b->info.T;
    const size_t rows = (size_t)b->bins, x_rows = (size_t)p->x_rows;
    const bool masked = p->by_bin || p->hidden;
    bool ok = true;
    p->first = (int64_t *)vdi_arena_alloc(a, count * sizeof(int64_t));
    p->trial = (int64_t *)vdi_arena_alloc(a, count * sizeof(int64_t));
    p->length = (int64_t *)vdi_arena_alloc(a, count * sizeof(int64_t));
    p->from = (int64_t *)vdi_arena_alloc(a, count * sizeof(int64_t));
    p->start = (bool *)vdi_arena_alloc(a, count * sizeof(bool));
    b->constant = (double *)vdi_arena_calloc(a, count * sizeof(double));
    p->x = (char *)vdi_arena_alloc(a, x_rows * p->row);
    if (lend) {
        b->rows.lent = (const void **)vdi_arena_alloc(a, count * sizeof *b->rows.lent);
        ok = b->rows.lent != NULL;
    } else {
        p->y = (char *)vdi_arena_alloc(a, rows * p->row);
        ok = p->y != NULL;
    }
    if (masked) {
        p->mask = (char *)vdi_arena_alloc(a, rows * p->row);
        p->indicator = (char *)vdi_arena_calloc(a, (p->by_bin ? x_rows : count) * p->row);
        ok = ok && p->mask && p->indicator;
    }
    if (p->by_bin) p->silent = (double *)vdi_arena_alloc(a, bins * sizeof(double));
    if (p->data->offset) p->offset = (char *)vdi_arena_alloc(a, rows * p->row);
    if (inputs) p->u = (double *)vdi_arena_calloc(a, bins * (size_t)inputs * sizeof(double));
    if (!b->dense) {
        b->bin_row = (int64_t *)vdi_arena_alloc(a, bins * sizeof(int64_t));
        b->row_trial = (int64_t *)vdi_arena_alloc(a, x_rows * sizeof(int64_t));
        ok = ok && b->bin_row && b->row_trial;
    }
    return ok && p->first && p->trial && p->length && p->from && p->start && b->constant && p->x &&
           (!p->by_bin || p->silent) && (!p->data->offset || p->offset) && (!inputs || p->u);
}

/* Its rows as they stand in the data. */
VDI__FN void vdi__vilds_pack_values(vdi__vilds_packer *p, const vdi__vilds_place *at) {
    const vdi_vilds_data *data = p->data;
    const vdi__vilds_item *it = at->item;
    const size_t from = (size_t)(it->trial * data->T + it->first) * p->row;
    const size_t bytes = (size_t)it->length * p->row, to = (size_t)at->row * p->row;
    char *x = p->x + (size_t)at->x_row * p->row;
    const size_t gap = (size_t)p->gap * p->row;
    if (!p->b->dense && at->i) memset(x - gap, 0, gap);
    memcpy(x, (const char *)data->x + from, bytes);
    if (p->y)
        memcpy(p->y + to, (const char *)data->y + from, bytes);
    else
        p->b->rows.lent[at->i] = (const char *)data->y + from;
    if (p->offset) memcpy(p->offset + to, (const char *)data->offset + from, bytes);
    if (!p->u) return;
    const int64_t inputs = data->inputs;
    memcpy(p->u + at->i * p->b->info.T * inputs,
           data->u + (it->trial * data->T + it->first) * inputs,
           (size_t)(it->length * inputs) * sizeof *p->u);
}

VDI__FN void vdi__vilds_blank(vdi_dtype dtype, void *values, int64_t rows, int64_t n, int64_t j) {
    for (int64_t r = 0; r < rows; r++)
        vdi_dtype_store(dtype, values, r * n + j, 0);
}

/* What is missing in the data, then the channels that are left out. */
VDI__FN void vdi__vilds_pack_masks(vdi__vilds_packer *p, const vdi__vilds_place *at) {
    const vdi__vilds_item *it = at->item;
    const int64_t n = p->n, cells = it->length * n;
    const int64_t from = (it->trial * p->data->T + it->first) * n;
    char *mask = p->mask + (size_t)at->row * p->row;
    if (!p->by_bin) vdi_fill(p->dtype, (size_t)cells, 1, mask);
    for (int64_t c = 0; p->by_bin && c < cells; c++) {
        const bool seen = p->data->seen[from + c] != 0;
        vdi_dtype_store(p->dtype, mask, c, seen);
        vdi_dtype_store(p->dtype, p->indicator, at->x_row * n + c, !seen);
    }
    for (int64_t j = 0; p->hidden && j < n; j++) {
        if (vdi__vilds_visible(at, j)) continue;
        vdi__vilds_blank(p->dtype, p->x + (size_t)at->x_row * p->row, it->length, n, j);
        if (!p->counted) {
            vdi__vilds_blank(p->dtype, p->y + (size_t)at->row * p->row, it->length, n, j);
            vdi__vilds_blank(p->dtype, mask, it->length, n, j);
        }
        if (!p->by_bin) vdi_dtype_store(p->dtype, p->indicator, at->i * n + j, 1);
        for (int64_t r = 0; p->by_bin && r < it->length; r++)
            vdi_dtype_store(p->dtype, p->indicator, (at->x_row + r) * n + j, 1);
    }
}

/* Which bins show anything. */
VDI__FN void vdi__vilds_pack_silence(vdi__vilds_packer *p, const vdi__vilds_place *at) {
    const int64_t T = p->b->info.T, n = p->n;
    for (int64_t t = 0; t < T; t++) {
        bool some = t >= at->item->length;
        for (int64_t j = 0; !some && j < n; j++)
            some = vdi_dtype_load(p->dtype, p->mask, (at->row + t) * n + j) != 0;
        p->silent[at->i * T + t] = some;
        p->quiet = p->quiet || !some;
    }
}

VDI__FN double vdi__vilds_pack_constant(const vdi__vilds_packer *p, const vdi__vilds_place *at) {
    const vdi_vilds_data *data = p->data;
    const vdi__vilds_item *it = at->item;
    const int64_t n = p->n, from = (it->trial * data->T + it->first) * n;
    double sum = 0;
    if (it->first == 0 && it->length == data->length[it->trial]) {
        for (int64_t j = 0; j < n; j++) {
            if (p->counted || vdi__vilds_visible(at, j)) sum += data->factorial[it->trial * n + j];
        }
        return sum;
    }
    for (int64_t c = 0; c < it->length * n; c++) {
        if (!p->counted && !vdi__vilds_visible(at, c % n)) continue;
        sum += data->log_factorial[from + c];
    }
    return sum;
}

VDI__FN void vdi__vilds_pack_item(vdi__vilds_packer *p, const vdi__vilds_place *at) {
    vdi__vilds_batch *b = p->b;
    const int64_t T = b->info.T, length = at->item->length;
    p->length[at->i] = length;
    p->start[at->i] = at->item->first == 0;
    p->trial[at->i] = at->item->trial;
    p->first[at->i] = at->row;
    p->from[at->i] = at->item->first;
    vdi__vilds_pack_values(p, at);
    if (p->mask) vdi__vilds_pack_masks(p, at);
    if (p->silent) vdi__vilds_pack_silence(p, at);
    if (p->data->factorial) b->constant[at->i] = vdi__vilds_pack_constant(p, at);
    if (b->dense) return;
    for (int64_t t = 0; t < T; t++)
        b->bin_row[at->i * T + t] = at->x_row + VDI__MIN(t, length - 1);
    for (int64_t r = at->i ? -p->gap : 0; r < length; r++)
        b->row_trial[at->x_row + r] = at->i;
}

VDI__FN void vdi__vilds_pack_finish(vdi__vilds_packer *p, const vdi_vilds *m) {
    vdi__vilds_batch *b = p->b;
    const int64_t count = b->info.trials, T = b->info.T, n = p->n, inputs = m->desc.inputs;
    const vdi_dtype dtype = p->dtype;
    b->by_trial = !p->by_bin;
    b->info.length = p->length;
    b->info.start = p->start;
    b->info.first = p->from;
    b->info.trial = p->trial;
    b->info.inputs = p->u;
    b->info.params = m->params->item + m->at.user;
    b->x = b->dense ? vdi_tensor_3d(p->x, dtype, count, T, n)
                    : vdi_tensor_3d(p->x, dtype, 1, p->x_rows, n);
    b->y = b->mask = b->offset = b->silent = b->indicator = vdi__no_tensor();
    if (p->y) b->y = vdi_tensor_2d(p->y, dtype, b->bins, n);
    if (p->mask) b->mask = vdi_tensor_2d(p->mask, dtype, b->bins, n);
    if (p->offset) b->offset = vdi_tensor_2d(p->offset, dtype, b->bins, n);
    if (p->quiet) b->silent = vdi_tensor_3d(p->silent, VDI_F64, count, T, 1);
    if (p->indicator) {
        b->indicator = p->by_bin
                           ? vdi_tensor_3d(p->indicator, dtype, b->x.shape[0], b->x.shape[1], n)
                           : vdi_tensor_2d(p->indicator, dtype, count, n);
    }
    if (p->u) b->u = vdi_tensor_3d(p->u, VDI_F64, count, T, inputs);
    b->rows.trials = count;
    b->rows.rows = b->bins;
    b->rows.n = n;
    b->rows.first = p->first;
    b->rows.length = p->length;
    b->rows.y = p->y;
    b->rows.mask = p->mask;
}

/* `visible` (count,n) or NULL: all. With `lend` the caller asks for the sums of the likelihood
 * alone, which some kinds of observation can read where complete values stand. */
VDI__FN vdi_status vdi__vilds_pack(vdi_vilds *m, vdi_vilds_data *data, const vdi__vilds_item *item,
                                   int64_t count, const unsigned char *visible, bool lend,
                                   vdi__vilds_batch *b, vdi_error *err) {
    const vdi__obs_ops *obs = vdi__vilds_obs(&m->desc);
    vdi__vilds_packer p;
    memset(b, 0, sizeof *b);
    memset(&p, 0, sizeof p);
    vdi__vilds_standardise(m, data);
    p.data = data;
    p.b = b;
    p.dtype = m->desc.dtype;
    p.n = m->desc.n;
    p.row = (size_t)p.n * vdi_dtype_size(p.dtype);
    p.by_bin = data->seen != NULL;
    p.hidden = visible != NULL;
    p.counted = visible && vdi__vilds_encoder_alone(m);
    b->info.trials = count;
    for (int64_t i = 0; i < count; i++) {
        b->info.T = VDI__MAX(b->info.T, item[i].length);
        b->bins += item[i].length;
        p.hidden = p.hidden || item[i].hide >= 0;
    }
    b->dense = b->bins == b->info.T * count;
    p.gap = b->dense ? 0 : m->desc.reach;
    p.x_rows = b->bins + (count - 1) * p.gap;
    lend = lend && obs && obs->lends && !p.hidden && !p.by_bin && !vdi__vilds_closed(m);
    if (!vdi__vilds_pack_reserve(&p, &m->arena, m->desc.inputs, lend)) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory for a batch of %lld bins",
                             (long long)b->bins);
    }
    vdi__vilds_place at;
    at.row = at.x_row = 0;
    for (at.i = 0; at.i < count; at.i++) {
        at.item = &item[at.i];
        at.visible = visible ? visible + at.i * p.n : NULL;
        vdi__vilds_pack_item(&p, &at);
        at.row += at.item->length;
        at.x_row += at.item->length + p.gap;
    }
    vdi__vilds_pack_finish(&p, m);
    return m->desc.log_joint ? vdi__joint_open(m, b, err) : VDI_OK;
}
#endif
