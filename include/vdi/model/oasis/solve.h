/* model/oasis/solve.h - the call: what is missing, what is estimated, and which solver runs
 *
 * Declared in oasis.h; the estimates and solvers (estimate.h, pools.h, interior.h, greedy.h) stand
 * before it.
 */
#ifndef VDI_MODEL_OASIS_SOLVE_H
#define VDI_MODEL_OASIS_SOLVE_H
#include "oasis.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_OASIS_IMPLEMENTATION) && !defined(VDI_MODEL_OASIS_SOLVE_C)
#define VDI_MODEL_OASIS_SOLVE_C

/* ======== description ========================================================================= */

VDI__DEF const vdi_fields *vdi_oasis_desc_fields(void) {
    static const char *const penalties[] = {"l1", "l0", NULL};
    static const char *const noises[] = {"spectrum", "mad", NULL};
    static const vdi_field rows[] = {
        VDI_FIELD_REAL_FLAGS(vdi_oasis_desc, fps, 1, 0, 1e9, VDI_FIELD_ABOVE, "frames per second"),
        VDI_FIELD_INT32(vdi_oasis_desc, order, 1, 1, 2, "1: a decay; 2: a rise too"),
        VDI_FIELD_REAL(vdi_oasis_desc, tau_decay, 0, 0, 1e300, "decay time, seconds; 0: estimated"),
        VDI_FIELD_REAL(vdi_oasis_desc, tau_rise, 0, 0, 1e300, "rise time, seconds; 0: estimated"),
        VDI_FIELD_ENUM(vdi_oasis_desc, penalty, penalties, "what makes the spikes sparse"),
        VDI_FIELD_REAL_TWIN(vdi_oasis_desc, lambda, has_lambda, 0, 0, 1e300, VDI_FIELD_COMPUTED,
                            "weight of the L1 penalty, units of the trace"),
        VDI_FIELD_REAL(vdi_oasis_desc, s_min, 0, -1e300, 1e300,
                       "L0: least spike, negative: in units of the noise; 0: from the noise"),
        VDI_FIELD_REAL_TWIN(vdi_oasis_desc, baseline, has_baseline, 0, -1e300, 1e300,
                            VDI_FIELD_COMPUTED, "baseline, units of the trace"),
        VDI_FIELD_BOOL(vdi_oasis_desc, baseline_nonneg, "an estimated baseline is at least 0"),
        VDI_FIELD_REAL(vdi_oasis_desc, noise, 0, 0, 1e300,
                       "standard deviation of the noise; 0: estimated"),
        VDI_FIELD_ENUM(vdi_oasis_desc, noise_method, noises, "how the noise is estimated"),
        VDI_FIELD_REAL_FLAGS(vdi_oasis_desc, fudge, 0.98, 0, 1, VDI_FIELD_ABOVE,
                             "factor on estimated roots, against their bias"),
        VDI_FIELD_INT32(vdi_oasis_desc, refine, 0, 0, VDI__OASIS_EVENTS,
                        "order 1: refit the decay to this many large events; 0: no"),
    };
    static const vdi_fields table = {"vdi_oasis_desc", rows, (int)VDI__COUNT(rows)};
    return &table;
}

VDI__DEF vdi_oasis_desc vdi_oasis_desc_defaults(void) {
    vdi_oasis_desc d = VDI__ZERO;
    vdi_fields_fill(vdi_oasis_desc_fields(), &d);
    d.allocator = vdi_allocator_defaults(NULL);
    return d;
}

VDI__DEF vdi_status vdi_oasis_desc_check(const vdi_oasis_desc *desc, vdi_error *err) {
    vdi_oasis_desc d = *desc;
    vdi_fields_fill(vdi_oasis_desc_fields(), &d);
    return vdi_fields_check(vdi_oasis_desc_fields(), &d, err);
}

/* ======== memory ============================================================================== */

VDI__DEF size_t vdi_oasis_worksize(int64_t T) {
    if (T < 0 || (uint64_t)T > SIZE_MAX / 1024) return SIZE_MAX;
    return 16 * vdi_align_size(((size_t)T + 1) * sizeof(double)) +
           vdi_align_size((size_t)T * sizeof(vdi__oasis_pool)) + VDI_ALIGN;
}

/* Cut the caller's block (as vdi_oasis_worksize counts) for a trace of T frames. */
VDI__FN void vdi__oasis_place(vdi__oasis *o, char *at, int64_t T) {
    const size_t row = vdi_align_size(((size_t)T + 1) * sizeof(double));
    double **list[4];
    list[0] = &o->y;
    list[1] = &o->c;
    list[2] = &o->power;
    list[3] = &o->power2;
    for (int i = 0; i < 4; i++) {
        *list[i] = (double *)(void *)at;
        at += row;
    }
    for (int i = 0; i < 12; i++) {
        o->aux[i] = (double *)(void *)at;
        at += row;
    }
    o->pool = (vdi__oasis_pool *)(void *)at;
}

/* ======== the trace =========================================================================== */

/* The frames that were measured: o->aux[1] their values, o->aux[2] where each stands. */
typedef struct vdi__oasis_seen {
    int64_t count, first, last;
    int64_t apart; /* the usual distance of one to the next */
    double least, most;
} vdi__oasis_seen;

VDI__FN vdi__oasis_seen vdi__oasis_measured(vdi__oasis *o, vdi_dtype dtype, const void *y) {
    vdi__oasis_seen s = {0, 0, 0, 1, HUGE_VAL, -HUGE_VAL};
    double *value = o->aux[1], *where = o->aux[2], *gap = o->aux[0];
    for (int64_t t = 0; t < o->T; t++) {
        const double v = vdi_dtype_load(dtype, y, t);
        if (!vdi__is_finite(v)) continue;
        if (s.count == 0) s.first = t;
        s.last = t;
        value[s.count] = v;
        where[s.count++] = (double)t;
        s.least = VDI__MIN(s.least, v);
        s.most = VDI__MAX(s.most, v);
    }
    if (s.count < 2 || s.count == o->T) return s;
    for (int64_t i = 0; i + 1 < s.count; i++) {
        gap[i] = where[i + 1] - where[i];
    }
    s.apart = (int64_t)vdi__oasis_select(s.count - 1, gap, (s.count - 1) / 2);
    return s;
}

/* Noise and roots where they are not given, from the measured frames one after the other. */
VDI__FN void vdi__oasis_estimate(vdi__oasis *o, const vdi__oasis_seen *s) {
    const vdi_oasis_desc *d = &o->desc;
    const double *value = o->aux[1], apart = (double)s->apart;
    double decay = 0, rise = 0;
    o->noise =
        d->noise > 0 ? d->noise : vdi_oasis_noise_of(d->noise_method, s->count, value, o->aux[0]);
    if (!(d->tau_decay > 0) || (d->order == 2 && !(d->tau_rise > 0))) {
        vdi__oasis_roots(d->order, s->count, value, o->noise, d->fudge, &decay, &rise);
        if (s->apart > 1) {
            decay = pow(decay, 1 / apart);
            rise = pow(rise, 1 / apart);
        }
    }
    o->d = d->tau_decay > 0 ? exp(-1 / (d->fps * d->tau_decay)) : decay;
    o->r = d->order == 1 ? 0 : d->tau_rise > 0 ? exp(-1 / (d->fps * d->tau_rise)) : rise;
    if (d->order == 2) { /* equal roots are a limit that the formulas divide by */
        if (o->r > o->d) {
            const double keep = o->d;
            o->d = o->r;
            o->r = keep;
        }
        if (o->d - o->r < 1e-4 * o->d) o->r = o->d * (1 - 1e-4);
    }
    o->d0 = o->d;
}

/* y from the measured frames of [first, last]: lines over short gaps; over a long one a decay from
 * the level before it to the baseline, so that no spike is needed there. */
VDI__FN void vdi__oasis_bridge(vdi__oasis *o, const vdi__oasis_seen *s) {
    const double *value = o->aux[1], *where = o->aux[2];
    const int64_t line = VDI__MAX((int64_t)3, (int64_t)(0.1 * o->desc.fps)) * s->apart;
    for (int64_t i = 0; i < s->count; i++) {
        const int64_t t = (int64_t)where[i] - s->first;
        o->y[t] = value[i];
        if (i == 0) continue;
        const int64_t before = (int64_t)where[i - 1] - s->first;
        o->bridged += t - before - 1;
        if (t - before - 1 <= line) {
            for (int64_t k = before + 1; k < t; k++) {
                o->y[k] = value[i - 1] +
                          (value[i] - value[i - 1]) * (double)(k - before) / (double)(t - before);
            }
            continue;
        }
        const int64_t from = VDI__MAX(i - 3, (int64_t)0);
        double level = 0;
        for (int64_t k = from; k < i; k++) {
            level += value[k] / (double)(i - from);
        }
        level = VDI__MAX(level - o->b, 0);
        o->idle += t - before - 1;
        for (int64_t k = before + 1; k < t; k++) {
            level *= o->d;
            o->y[k] = o->b + level;
        }
    }
}

/* Is the trace no more than noise about a constant? Then no spike is the sparsest answer, from
 * lambda = max_t sum_k h_k (y - b)_{t+k} on. */
VDI__FN bool vdi__oasis_silent(vdi__oasis *o) {
    double b = 0, rss = 0, next = 0, after = 0, most = 0;
    if (o->desc.has_lambda) return false;
    for (int64_t t = 0; t < o->T; t++) {
        b += o->y[t] / (double)o->T;
    }
    if (o->held) b = o->b;
    if (!o->held && o->desc.baseline_nonneg && b < 0) b = 0;
    for (int64_t t = 0; t < o->T; t++) {
        rss += (o->y[t] - b) * (o->y[t] - b);
    }
    if (rss > vdi__oasis_target(o)) return false;
    for (int64_t t = o->T - 1; t >= 0; t--) {
        const double now = o->y[t] - b + (o->d + o->r) * next - o->d * o->r * after;
        after = next;
        next = now;
        most = VDI__MAX(most, now);
    }
    o->b = b;
    o->lambda = most;
    o->pools = 0;
    return true;
}

/* ======== the answer ========================================================================== */

/* Calcium and spikes of all `frames`: the solver's T begin at `first`. Before them calcium is that
 * of the first one, behind them it decays. Returns start + sum of spikes. */
VDI__FN double vdi__oasis_write(const vdi__oasis *o, vdi_dtype dtype, int64_t first, int64_t frames,
                                void *calcium, void *spikes, int64_t *events) {
    const double g1 = o->d + o->r, g2 = -o->d * o->r;
    double total = o->c[0], c1 = o->c[0], c2 = 0; /* calcium one and two frames back */
    *events = 0;
    for (int64_t i = 0; i < frames; i++) {
        const int64_t t = i - first;
        const bool inside = t >= 0 && t < o->T;
        const double c = t < 0 ? o->c[0] : inside ? o->c[t] : g1 * c1 + g2 * c2;
        double s = inside && t > 0 ? c - g1 * c1 - (t > 1 ? g2 * c2 : 0) : 0;
        if (!(s > 1e-9 * o->noise)) s = 0;
        total += s;
        *events += s > 0;
        if (spikes) vdi_dtype_store(dtype, spikes, i, s);
        if (calcium) vdi_dtype_store(dtype, calcium, i, c);
        c2 = c1;
        c1 = c;
    }
    return total;
}

VDI__FN void vdi__oasis_tell(const vdi__oasis *o, double total, vdi_oasis_result *res) {
    const double fps = o->desc.fps;
    res->baseline = o->b;
    res->noise = o->noise;
    res->decay = o->d;
    res->rise = o->r;
    res->tau_decay = o->d > 0 ? -1 / (fps * log(o->d)) : 0;
    res->tau_rise = o->r > 0 ? -1 / (fps * log(o->r)) : 0;
    res->lambda = o->lambda;
    res->s_min = o->desc.penalty == VDI_OASIS_L0 ? o->s_min : 0;
    res->start = o->c[0];
    res->residual = o->residual;
    res->objective = 0.5 * o->residual + o->lambda * total;
    res->iterations = o->solves;
}

/* L0 with its least spike, the baseline and the decay as they are: nothing is left that the L1
 * solution would tell. */
VDI__FN bool vdi__oasis_given(const vdi__oasis *o) {
    return o->desc.penalty == VDI_OASIS_L0 && o->desc.s_min != 0 && o->held &&
           (o->desc.refine == 0 || o->desc.order == 2);
}

/* b, c and lambda; false if they did not settle. */
VDI__FN bool vdi__oasis_minimise(vdi__oasis *o) {
    static const vdi__oasis_order orders[2] = {
        {vdi__oasis_solve_order1, vdi__oasis_greedy_order1},
        {vdi__oasis_solve_order2, vdi__oasis_greedy_order2},
    };
    const vdi__oasis_order *order = &orders[o->desc.order - 1];
    bool good = true;
    if (vdi__oasis_given(o)) {
        vdi__oasis_solve0(o, order);
        return true;
    }
    if (vdi__oasis_silent(o))
        memset(o->c, 0, (size_t)o->T * sizeof(double));
    else
        good = order->solve(o);
    o->residual = vdi__oasis_rss(o);
    if (o->desc.penalty == VDI_OASIS_L0) vdi__oasis_solve0(o, order);
    return good;
}

VDI__FN vdi_status vdi__oasis_run(vdi__oasis *o, vdi_dtype dtype, const void *y, void *calcium,
                                  void *spikes, vdi_oasis_result *out, vdi_error *err) {
    const vdi_oasis_desc *d = &o->desc;
    const int64_t frames = o->T;
    vdi_oasis_result res = VDI__ZERO;
    const vdi__oasis_seen seen = vdi__oasis_measured(o, dtype, y);
    if (seen.count < 4) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_oasis",
                             "%lld of %lld frames are numbers, expected at least 4",
                             (long long)seen.count, (long long)frames);
    }
    const bool flat = !(seen.most > seen.least);
    o->held = d->has_baseline || (d->has_lambda && !(d->lambda > 0));
    o->b = d->has_baseline ? d->baseline : seen.least;
    o->T = seen.last - seen.first + 1;
    res.bridged = frames - seen.count;
    bool good = true;
    if (flat) { /* no noise and no spike; time constants are what was given */
        o->d = d->tau_decay > 0 ? exp(-1 / (d->fps * d->tau_decay)) : 0;
        memset(o->c, 0, (size_t)o->T * sizeof(double));
    } else {
        vdi__oasis_estimate(o, &seen);
        if (!d->has_baseline) {
            /* a first guess, and all that lambda = 0 can know: the 15th percentile */
            memcpy(o->aux[0], o->aux[1], (size_t)seen.count * sizeof(double));
            o->b = vdi__oasis_select(seen.count, o->aux[0], (seen.count - 1) * 15 / 100);
            if (d->baseline_nonneg && o->b < 0) o->b = 0;
        }
        vdi__oasis_bridge(o, &seen);
        vdi__oasis_powers(o->d, o->T, o->power);
        if (d->order == 2) vdi__oasis_powers(o->r, o->T, o->power2);
        good = vdi__oasis_minimise(o);
    }
    const double total =
        vdi__oasis_write(o, dtype, seen.first, frames, calcium, spikes, &res.events);
    vdi__oasis_tell(o, total, &res);
    if (out) *out = res;
    if (!vdi__is_finite(res.objective))
        return vdi_error_set(err, VDI_ERR_NUMERIC, "vdi_oasis", "the solution is not finite");
    if (!good) {
        return vdi_error_set(err, VDI_NOT_CONVERGED, "vdi_oasis",
                             "lambda and baseline did not settle");
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_oasis(const vdi_oasis_desc *desc, vdi_dtype dtype, int64_t T, const void *y,
                              void *work, void *calcium, void *spikes, vdi_oasis_result *out,
                              vdi_error *err) {
    static const char where[] = "vdi_oasis";
    vdi__oasis o = VDI__ZERO;
    const size_t bytes = vdi_oasis_worksize(T);
    o.desc = *desc;
    vdi_fields_fill(vdi_oasis_desc_fields(), &o.desc);
    vdi_status status = vdi_oasis_desc_check(desc, err);
    if (status == VDI_OK) status = vdi_arithmetic_check(err);
    if (status < 0) return status;
    if (!vdi_dtype_is_real(dtype)) {
        return vdi_error_set(err, VDI_ERR_DTYPE, where, "dtype is %s, expected float32 or float64",
                             vdi_dtype_name(dtype));
    }
    if (T < 4 || bytes == SIZE_MAX) {
        return vdi_error_set(err, VDI_ERR_DATA, where, "%lld frames, expected at least 4",
                             (long long)T);
    }
    char *mem = work ? (char *)work : (char *)vdi_alloc(&desc->allocator, bytes);
    if (!mem) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu bytes", bytes);
    o.T = T;
    vdi__oasis_place(&o, (char *)(((uintptr_t)mem + (VDI_ALIGN - 1)) & ~(uintptr_t)(VDI_ALIGN - 1)),
                     T);
    status = vdi__oasis_run(&o, dtype, y, calcium, spikes, out, err);
    if (!work) vdi_free(&desc->allocator, mem, bytes);
    return status;
}
#endif
