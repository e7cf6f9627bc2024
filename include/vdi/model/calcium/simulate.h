/* model/calcium/simulate.h - the trace of a drawn cell
 *
 * Do this:
 *     vdi_population_desc p = vdi_population_desc_defaults();
 *     vdi_cell cell;
 *     int64_t frames = vdi_population_draw(&p, 1, 7, &cell);
 *     void *work = malloc(vdi_cell_memsize(&p));
 *     float *trace = (float *)malloc((size_t)frames * sizeof *trace);
 *     double spike[4096];
 *     int64_t spikes = vdi_cell_simulate(&p, &cell, work, trace, NULL, spike, 4096);
 *     printf("%g Hz, %lld spikes\n", cell.frame_rate, (long long)spikes);
 *     free(trace), free(work);
 *
 * Equations, on a grid of VDI_CELL_GRID Hz, dt its step. A spike at time s adds to the calcium,
 * from its own time on,
 *     c(t) += a [(1 - slow) exp(-(t - s)/tau) + slow exp(-(t - s)/tau_slow)],
 *             a ~ gamma with mean 1 and coefficient of variation cv;
 *     u = (rest + c)^hill - rest^hill,   target = u / (1 + saturation u)
 *             the dye at equilibrium (Deneux et al. 2016)
 *     p <- target + (p - target) exp(-(1 + saturation u) dt / rise)
 *             its exact step, then up to two first-order stages
 * and a frame is the mean of the last stage over its window. Noise and artefacts are added, then
 * the trace is smoothed, then cut off.
 *
 * What it does NOT do: images, motion, cells that share activity, or a promise that spikes of an
 * actual cell look like this. Memory: the caller's block of vdi_cell_memsize bytes. Errors:
 * simulate returns -1 for a description out of range. Randomness: a cell's trace is the same
 * whenever it is made (within one build and instruction set: kernel functions round differently by
 * some ulp on others). Threads: no state; each thread needs its own work block.
 */
#ifndef VDI_MODEL_CALCIUM_SIMULATE_H
#define VDI_MODEL_CALCIUM_SIMULATE_H
#include "../../kernel/table.h"
#include "population.h"

/** The simulation's own grid, in Hz. */
#define VDI_CELL_GRID 240

/** Bytes of work memory that any cell of the population needs. */
VDI_API size_t vdi_cell_memsize(const vdi_population_desc *p);
/** Simulate a drawn cell: `trace` (frames), and unless NULL `clean` (frames), the trace without its
 * white noise and wild frames (slow noise and artefacts are in it). The first `capacity` spike
 * times, in s from frame 0 and rising, go to `spike`. Returns the number of spikes, -1 if the
 * description is out of range. `work`: memory of vdi_cell_memsize bytes, aligned as malloc's. */
VDI_API int64_t vdi_cell_simulate(const vdi_population_desc *p, const vdi_cell *cell, void *work,
                                  float *trace, float *clean, double *spike, int64_t capacity);

#endif /* VDI_MODEL_CALCIUM_SIMULATE_H */

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && \
    !defined(VDI_MODEL_CALCIUM_SIMULATE_C)
#define VDI_MODEL_CALCIUM_SIMULATE_C

/* ======== memory ============================================================================== */

/* Points of the grid: some seconds of margin at the end, as frames may see beyond the last stamp
 * and the shortest trace has four of them. */
VDI__FN int64_t vdi__cell_steps(double seconds, double warmup) {
    return (int64_t)((seconds + warmup + 5) * VDI_CELL_GRID);
}

/* Points of the longest row: the grid, or the frames of a camera that is faster. */
VDI__FN size_t vdi__cell_most(const vdi_population_desc *p) {
    const double fps =
        VDI__MAX(VDI__MAX(p->low_frames.high, p->middle_frames.high), p->high_frames.high);
    const int64_t frames = (int64_t)(p->seconds.high * fps) + 4;
    return (size_t)VDI__MAX(vdi__cell_steps(p->seconds.high, p->warmup), frames) + 1;
}

VDI__FN size_t vdi__cell_row(const vdi_population_desc *p) {
    return vdi_align_size(vdi__cell_most(p) * sizeof(float));
}

VDI__DEF size_t vdi_cell_memsize(const vdi_population_desc *p) {
    return 3 * vdi__cell_row(p) + vdi_align_size(vdi__cell_most(p) * sizeof(double)) + VDI_ALIGN;
}

/* A trace on its way. */
typedef struct vdi__cell_trace {
    const vdi_cell *cell;
    vdi_rng rng;
    int64_t n;                    /* points of the grid */
    float *calcium, *slow, *work; /* (n) each: calcium becomes the light of the dye */
    double *sum;                  /* (n + 1) */
    double *spike;                /* (capacity) */
    int64_t capacity, spikes;
} vdi__cell_trace;

VDI__FN vdi__cell_trace vdi__cell_place(const vdi_population_desc *p, const vdi_cell *cell,
                                        void *work) {
    const size_t row = vdi__cell_row(p);
    char *at = (char *)(((uintptr_t)work + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    vdi__cell_trace u = VDI__ZERO;
    u.cell = cell;
    u.rng = cell->rng;
    u.n = vdi__cell_steps(cell->seconds, cell->warmup);
    u.calcium = (float *)(void *)at;
    u.slow = (float *)(void *)(at + row);
    u.work = (float *)(void *)(at + 2 * row);
    u.sum = (double *)(void *)(at + 3 * row);
    memset(u.calcium, 0, row);
    memset(u.slow, 0, row);
    return u;
}

/* ======== spikes ============================================================================== */

/* A jump of the calcium at time s: it is put on the next point of the grid, decayed by what has
 * passed until there. */
VDI__FN void vdi__cell_jump(vdi__cell_trace *u, double s) {
    const vdi_cell *c = u->cell;
    const double at = ceil(s * VDI_CELL_GRID), passed = at / VDI_CELL_GRID - s;
    const double shape = c->jump_cv > 0.01 ? 1 / (c->jump_cv * c->jump_cv) : 0;
    const double a = shape > 0 ? vdi_rng_gamma(&u->rng, shape) / shape : 1;
    const int64_t i = (int64_t)at;
    if (i < 0 || i >= u->n) return;
    u->calcium[i] += (float)(a * (1 - c->slow) * exp(-passed / c->tau));
    if (c->slow > 0) u->slow[i] += (float)(a * c->slow * exp(-passed / c->slow_tau_decay));
}

/* A spike at s, or a burst that begins there; `last`: the spike before, moved on. */
VDI__FN void vdi__cell_burst(vdi__cell_trace *u, double s, double *last) {
    const vdi_cell *c = u->cell;
    for (;;) {
        if (s - *last >= c->refractory) {
            vdi__cell_jump(u, s + c->warmup);
            *last = s;
            if (s >= -1 && s < c->seconds + 0.25) {
                if (u->spikes < u->capacity) u->spike[u->spikes] = s;
                u->spikes++;
            }
        }
        if (!(c->burst_chance > 0) || vdi_rng_uniform(&u->rng) >= c->burst_chance) return;
        s = VDI__MAX(s, *last) + c->refractory + vdi_rng_exponential(&u->rng) * c->burst_interval;
    }
}

/* A process of Ornstein and Uhlenbeck in the log rate, its factor of mean 1. */
typedef struct vdi__cell_process {
    double sd, keep, add, z;
} vdi__cell_process;
VDI__FN vdi__cell_process vdi__cell_process_of(vdi_rng *r, double sd, double tau, double step) {
    vdi__cell_process p;
    p.sd = sd;
    p.keep = exp(-step / tau);
    p.add = sqrt(1 - p.keep * p.keep);
    p.z = vdi_rng_normal(r);
    return p;
}
VDI__FN double vdi__cell_factor(vdi__cell_process *p, vdi_rng *r) {
    if (!(p->sd > 0)) return 1;
    p->z = p->keep * p->z + p->add * vdi_rng_normal(r);
    return exp(p->sd * (p->z - 0.5 * p->sd));
}

/* Spikes of a rate that changes every 1/30 s, by time rescaling: the next one comes when the summed
 * rate since the last has passed an exponential number. Bursts and the refractory time are laid on
 * top. */
VDI__FN void vdi__cell_fire(vdi__cell_trace *u) {
    const vdi_cell *c = u->cell;
    const double step = 8.0 / VDI_CELL_GRID, end = c->seconds + 0.5;
    vdi_rng *r = &u->rng;
    vdi__cell_process fast = vdi__cell_process_of(r, c->fast_sd, c->fast_tau, step);
    vdi__cell_process slow = vdi__cell_process_of(r, c->slow_sd, c->slow_tau, step);
    double left = 0, wait = vdi_rng_exponential(r), last = -1e9;
    for (double t = -c->warmup; t < end; t += step) {
        double rate = c->rate, from = t;
        rate *= vdi__cell_factor(&fast, r);
        rate *= vdi__cell_factor(&slow, r);
        if (c->episode_onset > 0) {
            if (vdi_rng_uniform(r) < c->episode_onset * step)
                left = vdi_rng_exponential(r) * c->episode_length;
            if (left > 0) rate += c->episode_rate;
            left -= step;
        }
        rate /= 1 + rate / c->ceiling;
        while (wait < rate * (t + step - from)) {
            from += wait / rate;
            vdi__cell_burst(u, from, &last);
            wait = vdi_rng_exponential(r);
        }
        wait -= rate * (t + step - from);
    }
}

/* ======== dye ================================================================================= */

VDI__FN void vdi__first_order(int64_t n, double tau, float *x) {
    const float keep = (float)exp(-1 / (VDI_CELL_GRID * tau));
    float y = x[0];
    for (int64_t i = 0; i < n; i++) {
        y = x[i] + (y - x[i]) * keep;
        x[i] = y;
    }
}

/* x_t += keep x_{t-1} */
VDI__FN void vdi__cell_decay(int64_t n, double tau, float *x) {
    const float keep = (float)exp(-1 / (VDI_CELL_GRID * tau));
    for (int64_t i = 1; i < n; i++) {
        x[i] += keep * x[i - 1];
    }
}

/* From jumps to calcium. */
VDI__FN void vdi__cell_calcium(const vdi__cell_trace *u) {
    const vdi_cell *c = u->cell;
    vdi__cell_decay(u->n, c->tau, u->calcium);
    if (!(c->slow > 0)) return;
    vdi__cell_decay(u->n, c->slow_tau_decay, u->slow);
    for (int64_t i = 0; i < u->n; i++) {
        u->calcium[i] += u->slow[i];
    }
}

/* From calcium to what is bound at equilibrium, before saturation: (rest + c)^hill - rest^hill. */
VDI__FN void vdi__cell_cooperate(const vdi__cell_trace *u) {
    const vdi__kernels *k = vdi__kernels_of(VDI_F32);
    const vdi_cell *cell = u->cell;
    const float rest = (float)cell->rest, at_rest = (float)pow(cell->rest, cell->hill);
    const float hill = (float)cell->hill;
    float *c = u->calcium, *s = u->work;
    if (cell->hill == 1) return;
    for (int64_t i = 0; i < u->n; i++) {
        c[i] = rest + c[i] > 1e-12f ? rest + c[i] : 1e-12f;
    }
    k->unary[VDI_LOG]((size_t)u->n, 0, c, s);
    for (int64_t i = 0; i < u->n; i++) {
        s[i] *= hill;
    }
    k->unary[VDI_EXP]((size_t)u->n, 0, s, c);
    for (int64_t i = 0; i < u->n; i++) {
        c[i] = c[i] > at_rest ? c[i] - at_rest : 0;
    }
}

/* From calcium to the light of the dye, in place. */
VDI__FN void vdi__cell_dye(const vdi__cell_trace *u) {
    const vdi__kernels *k = vdi__kernels_of(VDI_F32);
    const vdi_cell *cell = u->cell;
    const float saturation = (float)cell->saturation;
    const float speed = (float)(-1 / (VDI_CELL_GRID * cell->rise[0]));
    float *c = u->calcium, *s = u->work, p = 0;
    vdi__cell_cooperate(u);
    for (int64_t i = 0; i < u->n; i++) {
        s[i] = speed * (1 + saturation * c[i]);
    }
    k->unary[VDI_EXP]((size_t)u->n, 0, s, s);
    for (int64_t i = 0; i < u->n; i++) {
        const float target = c[i] / (1 + saturation * c[i]);
        p = target + (p - target) * s[i];
        c[i] = p;
    }
    for (int j = 1; j < 3; j++) {
        if (cell->rise[j] > 0) vdi__first_order(u->n, cell->rise[j], c);
    }
}

/* About how high one spike rises above rest: its equilibrium, times the peak (rho)^(rho / (1 -
 * rho)) of a decay seen through a first-order rise of rho times its time constant. Exact for a
 * linear dye of one stage. */
VDI__FN double vdi__cell_peak(const vdi_cell *c) {
    const double u = pow(c->rest + 1, c->hill) - pow(c->rest, c->hill), g = 1 + c->saturation * u;
    const double rho = VDI__MIN(0.999, (c->rise[0] / g + c->rise[1] + c->rise[2]) / c->tau);
    return u / g * pow(rho, rho / (1 - rho));
}

/* ======== frames ============================================================================== */

/* The running integral of the light at grid time x. */
VDI__FN double vdi__cell_integral(const vdi__cell_trace *u, double x) {
    x = VDI__MAX(0, VDI__MIN(x, (double)u->n - 1e-9));
    const int64_t i = (int64_t)x;
    return u->sum[i] + (x - (double)i) * (double)u->calcium[i];
}

/* Frames of the light, without noise; returns their standard deviation. */
VDI__FN double vdi__cell_frames(const vdi__cell_trace *u, float *trace) {
    const vdi_cell *c = u->cell;
    double mean = 0, square = 0;
    u->sum[0] = 0;
    for (int64_t i = 0; i < u->n; i++) {
        u->sum[i + 1] = u->sum[i] + (double)u->calcium[i];
    }
    for (int64_t k = 0; k < c->frames; k++) {
        const double middle = (double)k / c->frame_rate + c->delay + c->warmup;
        const double before = vdi__cell_integral(u, (middle - 0.5 * c->window) * VDI_CELL_GRID);
        const double after = vdi__cell_integral(u, (middle + 0.5 * c->window) * VDI_CELL_GRID);
        const double y = (after - before) / (c->window * VDI_CELL_GRID);
        trace[k] = (float)y;
        mean += y;
        square += y * y;
    }
    mean /= (double)c->frames;
    return sqrt(VDI__MAX(0, square / (double)c->frames - mean * mean));
}

/* ======== noise and artefacts ================================================================= */

/* Slow noise and artefacts from frame to frame. */
typedef struct vdi__cell_drift {
    double z[VDI_CELL_DRIFTS], keep[VDI_CELL_DRIFTS], add[VDI_CELL_DRIFTS];
    double surge, surge_keep, surge_add;
    double wave; /* phase, in periods */
    double dip;  /* seconds that are left of one */
    double thin; /* what is slow is counted at 30 Hz: in units of a louder frame it is less */
} vdi__cell_drift;

VDI__FN vdi__cell_drift vdi__cell_drift_begin(const vdi_cell *c, vdi_rng *r) {
    vdi__cell_drift d = VDI__ZERO;
    d.thin = c->frame_rate > 30 ? sqrt(30 / c->frame_rate) : 1;
    for (int j = 0; j < VDI_CELL_DRIFTS; j++) {
        d.keep[j] = exp(-1 / (c->frame_rate * c->drift_tau[j]));
        d.add[j] = sqrt(1 - d.keep[j] * d.keep[j]);
        d.z[j] = vdi_rng_normal(r);
    }
    d.surge_keep = exp(-1 / (c->frame_rate * c->surge_tau));
    d.surge_add = sqrt(1 - d.surge_keep * d.surge_keep);
    d.surge = vdi_rng_normal(r);
    d.wave = vdi_rng_uniform(r);
    return d;
}

/* What slow noise and artefacts add to frame k, in units of the white noise. */
VDI__FN double vdi__cell_drift_next(vdi__cell_drift *d, const vdi_cell *c, vdi_rng *r, int64_t k) {
    double y = 0;
    for (int j = 0; j < VDI_CELL_DRIFTS; j++) {
        if (!(c->drift_sd[j] > 0)) continue;
        y += d->z[j] * c->drift_sd[j] * d->thin;
        d->z[j] = d->keep[j] * d->z[j] + d->add[j] * vdi_rng_normal(r);
    }
    if (c->bleach != 0) y += c->bleach * exp(-(double)k / (c->frame_rate * c->bleach_tau));
    if (c->wave_sd > 0) { /* a period wanders by a tenth of the root of its number */
        const double step = c->wave_rate / c->frame_rate;
        d->wave += step * (1 + 0.1 * vdi_rng_normal(r) / sqrt(step));
        y += sqrt(2.0) * c->wave_sd * d->thin * sin(2 * VDI_PI * d->wave);
    }
    if (c->surge_sd > 0) {
        d->surge = d->surge_keep * d->surge + d->surge_add * vdi_rng_normal(r);
        y += d->surge * c->surge_sd * d->thin;
    }
    if (c->dip_onset > 0) {
        if (d->dip <= 0 && vdi_rng_uniform(r) < c->dip_onset / c->frame_rate)
            d->dip = vdi_rng_exponential(r) * c->dip_length;
        if (d->dip > 0) y -= c->dip * d->thin;
        d->dip -= 1 / c->frame_rate;
    }
    return y;
}

/* The white noise of a frame, with its wild ones; `level`: the signal over its usual size. */
VDI__FN double vdi__cell_white(const vdi_cell *c, vdi_rng *r, double level) {
    double e = vdi_rng_normal(r);
    if (c->shot > 0) e *= sqrt(1 + c->shot * VDI__MAX(level, 0));
    if (c->outlier_onset > 0 && vdi_rng_uniform(r) < c->outlier_onset / c->frame_rate) {
        const double size = c->outlier * vdi_rng_exponential(r);
        e += vdi_rng_bernoulli(r, 0.6) ? size : -size;
    }
    return e;
}

/* Noise on the frames of a cell whose light has the standard deviation `sd`. */
VDI__FN void vdi__cell_noise(vdi__cell_trace *u, double sd, float *trace, float *clean) {
    const vdi_cell *c = u->cell;
    const double peak = vdi__cell_peak(c), louder = sqrt(c->frame_rate / 30);
    /* a cell that has hardly fired has no power to measure the noise by */
    const bool by_power = c->by_power && sd > 1e-3 * peak;
    const double snr = c->by_power && !by_power ? VDI__MIN(c->snr, 10) : c->snr;
    const double noise = by_power ? sd / snr : louder * peak / snr;
    vdi__cell_drift d = vdi__cell_drift_begin(c, &u->rng);
    for (int64_t k = 0; k < c->frames; k++) {
        const double y = (double)trace[k];
        const double e = vdi__cell_white(c, &u->rng, y / (sd + peak));
        const double slowly = vdi__cell_drift_next(&d, c, &u->rng, k);
        if (clean) clean[k] = (float)(y + noise * slowly);
        trace[k] = (float)(y + noise * (slowly + e));
    }
}

/* A Gaussian of `sd` frames, cut at 3; s: scratch (n). */
VDI__FN void vdi__cell_smooth(int64_t n, double sd, float *x, float *s) {
    const int64_t reach = (int64_t)ceil(3 * sd);
    for (int64_t k = 0; k < n; k++) {
        const int64_t from = VDI__MAX(k - reach, (int64_t)0), to = VDI__MIN(k + reach, n - 1);
        double sum = 0, weight = 0;
        for (int64_t j = from; j <= to; j++) {
            const double w = exp(-0.5 * (double)((j - k) * (j - k)) / (sd * sd));
            sum += w * (double)x[j];
            weight += w;
        }
        s[k] = (float)(sum / weight);
    }
    memcpy(x, s, (size_t)n * sizeof *x);
}

/* Cut off what is above a share of the range of the trace. */
VDI__FN void vdi__cell_clip(int64_t n, double share, float *trace, float *clean) {
    float low = trace[0], high = trace[0];
    for (int64_t k = 1; k < n; k++) {
        low = VDI__MIN(low, trace[k]);
        high = VDI__MAX(high, trace[k]);
    }
    const float top = low + (float)share * (high - low);
    for (int64_t k = 0; k < n; k++) {
        trace[k] = VDI__MIN(trace[k], top);
        if (clean) clean[k] = VDI__MIN(clean[k], top);
    }
}

VDI__DEF int64_t vdi_cell_simulate(const vdi_population_desc *p, const vdi_cell *cell, void *work,
                                   float *trace, float *clean, double *spike, int64_t capacity) {
    if (vdi_population_desc_check(p, NULL) < 0 || !(cell->frame_rate > 0)) return -1;
    vdi__cell_trace u = vdi__cell_place(p, cell, work);
    u.spike = spike;
    u.capacity = spike ? capacity : 0;
    vdi__cell_fire(&u);
    vdi__cell_calcium(&u);
    vdi__cell_dye(&u);
    vdi__cell_noise(&u, vdi__cell_frames(&u, trace), trace, clean);
    if (cell->smooth > 0) {
        vdi__cell_smooth(cell->frames, cell->smooth, trace, u.work);
        if (clean) vdi__cell_smooth(cell->frames, cell->smooth, clean, u.work);
    }
    if (cell->clip > 0) vdi__cell_clip(cell->frames, cell->clip, trace, clean);
    return u.spikes;
}
#endif
