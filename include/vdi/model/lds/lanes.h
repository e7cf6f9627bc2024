/* model/lds/lanes.h - which trials share a covariance sequence, and which bins a set of observed
 * channels
 *
 * Nothing public. The covariances of a posterior depend on a trial's length and on what is missing,
 * not on the values. Trials with the same length and the same missing values share one covariance
 * sequence (a "lane"); with a full R, bins with the same observed channels share one factor of R (a
 * "pattern").
 */
#ifndef VDI_MODEL_LDS_LANES_H
#define VDI_MODEL_LDS_LANES_H
#include "parameters.h"
#include "series.h"
#endif /* VDI_MODEL_LDS_LANES_H */

#if defined(VDI__BODIES) && defined(VDI_LDS_IMPLEMENTATION) && !defined(VDI_MODEL_LDS_LANES_C)
#define VDI_MODEL_LDS_LANES_C

/* A lane carries `rows` trials at most; a slot (row, lane) is one trial under it, or none. */
typedef struct vdi__lanes {
    int64_t count, rows;
    int64_t *of, *row_of; /* (trials) */
    int64_t *trial_at;    /* (rows,count): trial or -1 */
    int64_t *lengths;     /* (count) */
    double *weight;       /* (count): trials in it */
    double *mask;         /* (count,T,n) 1 observed, 0 missing or behind the end; NULL if nothing is
                             missing */
} vdi__lanes;

typedef struct vdi__patterns {
    int64_t count;
    uint8_t *mask;    /* (count,n) */
    int64_t *start;   /* (count+1) into bins */
    int64_t *bins;    /* slot * T + t, pattern by pattern */
    int64_t *in_lane; /* (lanes,T): of each bin, -1 behind the end */
} vdi__patterns;

/* What both are found from. */
typedef struct vdi__visibility {
    vdi__series s;
    const int64_t *lengths; /* (trials) */
    const uint8_t *seen;    /* (trials,T,n): inside the length and not NaN */
    bool missing;           /* something inside a length is not seen */
} vdi__visibility;

/* ---- equal items ----------------------------------------------------------------------------- */

VDI__FN uint64_t vdi__hash(uint64_t h, const void *p, size_t n) {
    /* FNV-1a, for finding equal masks; equality is checked after */
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * 1099511628211u;
    return h;
}

/* Number equal items by the order of their first appearance: class_of[i] < *classes, first[class]
 * an item of it. Open addressing. */
typedef struct vdi__classes {
    int64_t count, *class_of, *first, *table;
    size_t table_size;
} vdi__classes;

VDI__FN bool vdi__classes_init(vdi__classes *k, vdi_arena *arena, int64_t items) {
    size_t size = 16;
    bool ok = true;
    while (size < 2 * (size_t)items)
        size *= 2;
    k->count = 0;
    k->table_size = size;
    k->class_of = vdi__take_ints(arena, (size_t)items, &ok);
    k->first = vdi__take_ints(arena, (size_t)items, &ok);
    k->table = vdi__take_ints(arena, size, &ok);
    return ok;
}

/* `bytes` of item i at base + i * stride; `tag` is a number that has to be equal too. */
VDI__FN void vdi__classes_add(vdi__classes *k, int64_t i, const uint8_t *base, size_t stride,
                              size_t bytes, const int64_t *tag) {
    uint64_t h = vdi__hash(14695981039346656037u ^ (uint64_t)(tag ? tag[i] : 0),
                           base + (size_t)i * stride, bytes);
    for (size_t at = (size_t)h & (k->table_size - 1);; at = (at + 1) & (k->table_size - 1)) {
        int64_t c = k->table[at] - 1;
        if (c < 0) {
            k->table[at] = k->count + 1;
            k->first[k->count] = i;
            k->class_of[i] = k->count++;
            return;
        }
        int64_t f = k->first[c];
        if ((!tag || tag[f] == tag[i]) &&
            memcmp(base + (size_t)f * stride, base + (size_t)i * stride, bytes) == 0) {
            k->class_of[i] = c;
            return;
        }
    }
}

/* ---- lanes ----------------------------------------------------------------------------------- */

/* How many trials a lane may carry: factorising costs about d times a solve, and padded slots cost
 * a solve each. */
VDI__FN int64_t vdi__lanes_rows(const int64_t *size, int64_t classes, int64_t d) {
    int64_t best = 1, largest = 1;
    double best_cost = HUGE_VAL;
    for (int64_t i = 0; i < classes; i++)
        largest = VDI__MAX(largest, size[i]);
    for (int64_t rows = 1; rows <= 2 * largest; rows *= 2) {
        int64_t r = VDI__MIN(rows, largest);
        double lanes = 0;
        for (int64_t i = 0; i < classes; i++)
            lanes += (double)((size[i] + r - 1) / r);
        double cost = lanes * (double)d + lanes * (double)r;
        if (cost < best_cost) {
            best_cost = cost;
            best = r;
        }
    }
    return best;
}

/* Each trial's place: lane and row. */
VDI__FN bool vdi__lanes_assign(vdi__lanes *l, const vdi__visibility *v, int64_t d,
                               vdi_arena *arena) {
    const size_t trials = (size_t)v->s.trials, each = vdi__series_values(&v->s, v->s.n) / trials;
    bool ok = true;
    vdi__classes k;
    if (!vdi__classes_init(&k, arena, v->s.trials)) return false;
    for (int64_t i = 0; i < v->s.trials; i++)
        vdi__classes_add(&k, i, v->seen, each, v->missing ? each : 0, v->lengths);
    int64_t *size = vdi__take_ints(arena, (size_t)k.count, &ok);
    int64_t *lane = vdi__take_ints(arena, (size_t)k.count, &ok);
    int64_t *filled = vdi__take_ints(arena, (size_t)k.count, &ok);
    l->of = vdi__take_ints(arena, trials, &ok);
    l->row_of = vdi__take_ints(arena, trials, &ok);
    if (!ok) return false;
    for (int64_t i = 0; i < v->s.trials; i++)
        size[k.class_of[i]]++;
    l->rows = vdi__lanes_rows(size, k.count, d);
    for (int64_t i = 0; i < v->s.trials; i++) {
        const int64_t c = k.class_of[i];
        if (filled[c] % l->rows == 0) lane[c] = l->count++;
        l->of[i] = lane[c];
        l->row_of[i] = filled[c]++ % l->rows;
    }
    return true;
}

/* False: memory is out. */
VDI__FN bool vdi__lanes_find(vdi__lanes *l, const vdi__visibility *v, int64_t d, vdi_arena *arena) {
    const int64_t each = v->s.T * v->s.n;
    bool ok = vdi__lanes_assign(l, v, d, arena);
    if (!ok) return false;
    l->trial_at = vdi__take_ints(arena, vdi_mul_size((size_t)l->rows, (size_t)l->count), &ok);
    l->lengths = vdi__take_ints(arena, (size_t)l->count, &ok);
    l->weight = vdi__take_reals(arena, (size_t)l->count, &ok);
    if (v->missing)
        l->mask = vdi__take_reals(arena, vdi_mul_size((size_t)l->count, (size_t)each), &ok);
    if (!ok) return false;
    for (int64_t i = 0; i < l->rows * l->count; i++)
        l->trial_at[i] = -1;
    for (int64_t i = 0; i < v->s.trials; i++) {
        const int64_t g = l->of[i];
        l->trial_at[l->row_of[i] * l->count + g] = i;
        l->lengths[g] = v->lengths[i];
        l->weight[g] += 1;
        for (int64_t j = 0; l->mask && l->row_of[i] == 0 && j < each; j++)
            l->mask[g * each + j] = v->seen[i * each + j];
    }
    return true;
}

/* ---- patterns -------------------------------------------------------------------------------- */

/* The bins of each pattern, slot by slot: a fixed order. `next` (count) is scratch. */
VDI__FN void vdi__patterns_sort(vdi__patterns *p, const vdi__lanes *l, const vdi__visibility *v,
                                const int64_t *class_of, int64_t *next) {
    const int64_t T = v->s.T;
    for (int64_t i = 0; i < v->s.trials; i++) {
        for (int64_t t = 0; t < v->lengths[i]; t++) {
            p->start[class_of[i * T + t] + 1]++;
            p->in_lane[l->of[i] * T + t] = class_of[i * T + t];
        }
    }
    for (int64_t q = 0; q < p->count; q++)
        p->start[q + 1] += p->start[q];
    for (int64_t q = 0; q < p->count; q++)
        next[q] = p->start[q];
    for (int64_t s = 0; s < l->rows * l->count; s++) {
        const int64_t i = l->trial_at[s];
        for (int64_t t = 0; i >= 0 && t < v->lengths[i]; t++)
            p->bins[next[class_of[i * T + t]]++] = s * T + t;
    }
}

/* False: memory is out. */
VDI__FN bool vdi__patterns_find(vdi__patterns *p, const vdi__lanes *l, const vdi__visibility *v,
                                vdi_arena *arena) {
    const int64_t T = v->s.T, n = v->s.n;
    const size_t bins = vdi__series_values(&v->s, 1);
    const size_t lane_bins = vdi_mul_size((size_t)l->count, (size_t)T);
    bool ok = true;
    vdi__classes k;
    if (!vdi__classes_init(&k, arena, (int64_t)bins)) return false;
    for (int64_t i = 0; i < v->s.trials; i++) {
        for (int64_t t = 0; t < v->lengths[i]; t++)
            vdi__classes_add(&k, i * T + t, v->seen, (size_t)n, v->missing ? (size_t)n : 0, NULL);
    }
    p->count = k.count;
    p->mask = (uint8_t *)vdi_arena_alloc(arena, vdi_mul_size((size_t)k.count, (size_t)n));
    p->start = vdi__take_ints(arena, (size_t)k.count + 1, &ok);
    p->bins = vdi__take_ints(arena, bins, &ok);
    p->in_lane = vdi__take_ints(arena, lane_bins, &ok);
    if (!ok || !p->mask) return false;
    for (int64_t q = 0; q < k.count; q++)
        memcpy(p->mask + q * n, v->seen + k.first[q] * n, (size_t)n);
    for (size_t i = 0; i < lane_bins; i++)
        p->in_lane[i] = -1;
    vdi__patterns_sort(p, l, v, k.class_of, k.first);
    return true;
}
#endif
