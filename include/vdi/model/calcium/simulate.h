/* model/calcium/simulate.h - populations of simulated cells over wide ranges of indicator, noise,
 * firing and microscope
 *
 * Do this:
 *     vdi_population_desc p = vdi_population_desc_defaults();
 *     vdi_cell cell;                                           what cell 7 of seed 1 was drawn as
 *     int64_t frames = vdi_population_draw(&p, 1, 7, &cell);   how many frames it has
 *     void *work = malloc(vdi_cell_memsize(&p));
 *     float *trace = (float *)malloc((size_t)frames * sizeof *trace);
 *     double spike[4096];
 *     int64_t spikes = vdi_cell_simulate(&p, &cell, work, trace, NULL, spike, 4096);
 *     printf("%g Hz, %lld spikes\n", cell.frame_rate, (long long)spikes);
 *     free(trace), free(work);
 *
 * A network that is to work on any recording has to have seen any recording. So a cell is drawn
 * from ranges that are as wide as the indicators, preparations and microscopes in use: firing with
 * slow and fast changes of rate, episodes and bursts of a few milliseconds; calcium with one or two
 * decays; a dye with cooperativity, saturation and up to three stages of rise; frames of 5 to 130
 * Hz that see a part of their time and are stamped early or late; noise that is white, grows with
 * the signal, drifts, or bleaches. All times in seconds, rates in Hz. (The single models that are
 * fitted to data are in calcium.h; this one is only simulated.)
 *
 * Equations, on a grid of VDI_CELL_GRID Hz, dt its step. A spike at time s adds to the calcium,
 * from its own time on,
 *     c(t) += a [(1 - slow) exp(-(t - s)/tau) + slow exp(-(t - s)/tau_slow)]
 * with a ~ gamma of mean 1 and coefficient of variation cv. The dye at equilibrium (Deneux et al.
 * 2016), and its exact step, after which come up to two first-order stages:
 *     u = (rest + c)^hill - rest^hill,   target = u / (1 + saturation u)
 *     p <- target + (p - target) exp(-(1 + saturation u) dt / rise)
 * and a frame is the mean of the last stage over its window.
 *
 * What it does NOT do: images, motion, cells that share activity, or a promise that spikes of an
 * actual cell look like this.
 * Memory: the caller's block of vdi_cell_memsize bytes. Errors: a description out of range is told
 * by vdi_population_desc_check; draw and simulate return -1 then. Randomness: cell i of a seed is
 * the same whatever else is drawn (within one build and instruction set: kernel functions round
 * differently by some ulp on others). Threads: no state; each thread needs its own work block.
 */
#ifndef VDI_MODEL_CALCIUM_SIMULATE_H
#define VDI_MODEL_CALCIUM_SIMULATE_H
#include "../../core/rng.h"
#include "../../core/status.h"
#include "../../kernel/table.h"

/** The simulation's own grid, in Hz. */
#define VDI_CELL_GRID 240

/** A range to draw from. */
typedef struct vdi_span {
    double low, high; /**< both ends */
} vdi_span;

/** What a population is drawn from: ranges, and the shares of cells that have a property at all.
 * "log" marks log-uniform draws, the
 *  others are uniform. */
typedef struct vdi_population_desc {
    double seconds; /**< of each trace; default 30 */
    double warmup;  /**< simulated before it; default 5 */
    /* firing */
    vdi_span rate;                                        /**< log, Hz: the rate before it is
                                                               changed by what follows */
    double fast_share, slow_share;                        /**< cells with a fast, a slow
                                                               Ornstein-Uhlenbeck process in their
                                                               log rate */
    vdi_span fast_tau, slow_tau, fast_sd, slow_sd;        /**< log, s; standard deviations in log
                                                               units */
    double episode_share;                                 /**< cells with episodes of high rate */
    vdi_span episode_onset, episode_length, episode_rate; /**< log, Hz; log, mean s of an
                                                               exponential; Hz, added inside */
    double burst_share;                                   /**< cells whose spikes come in bursts of
                                                               a few milliseconds */
    vdi_span burst_chance, burst_interval;                /**< chance of one more spike after each;
                                                               log, mean s between them */
    vdi_span refractory;                                  /**< s: least interval of any two
                                                               spikes */
    /* calcium */
    vdi_span tau;                    /**< log, s */
    double slow_decay_share;         /**< cells with a second decay */
    vdi_span slow_decay, slow_times; /**< its part of each jump; its time constant in units of
                                          tau */
    vdi_span jump_cv;                /**< variation of the jump from spike to spike */
    /* dye */
    double linear_share;      /**< cells with Hill exponent 1 */
    vdi_span hill;            /**< of the others */
    double rest_share;        /**< cells with resting calcium */
    vdi_span rest;            /**< log, in jumps of one spike */
    double saturation_share;  /**< cells that saturate */
    vdi_span saturation;      /**< log */
    double quick_share;       /**< cells with a quick rise */
    vdi_span quick, sluggish; /**< log, s: first stage of rise of these, of the others; never above
                                   tau */
    double second_share;      /**< cells with a second stage */
    double third_share;       /**< those of them with a third one */
    vdi_span stage;           /**< later stages, in units of the first */
    /* microscope */
    double low_share, middle_share;                  /**< cells at low, at middle frame rates; the
                                                          others have high ones */
    vdi_span low_frames, middle_frames, high_frames; /**< Hz */
    vdi_span window;                                 /**< part of a frame that it sees */
    vdi_span offset;                                 /**< frames by which it is seen later than its
                                                          stamp says */
    double latency_share;                            /**< cells that answer late by more than their
                                                          rise */
    vdi_span latency;                                /**< of these, in rise times (less for a quick
                                                          rise) */
    double latency_most;                             /**< s: at most */
    /* noise, in units of the white noise's standard deviation unless said */
    double power_share; /**< cells whose noise is set by the power of the trace, not
                             by the height of one spike */
    vdi_span power_snr; /**< log: standard deviation of the trace over that of the
                             noise */
    vdi_span peak_snr;
    /**< log: peak of one spike over the standard deviation of the noise of a frame of 1/30 s (it
         grows with the root of the frame rate) */
    double shot_share;                  /**< cells whose variance grows with the signal */
    vdi_span shot;                      /**< by how much */
    double drift_share[3];              /**< cells with slow additive noise of three kinds */
    vdi_span drift_tau[3], drift_sd[3]; /**< log, s; standard deviations */
    double bleach_share;                /**< cells with an exponential over the trace */
    vdi_span bleach_tau, bleach;        /**< s; amplitude */
} vdi_population_desc;

/** The ranges that the pretrained network is trained on. */
VDI_API vdi_population_desc vdi_population_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_population_desc_check(const vdi_population_desc *p, vdi_error *err);

/** One drawn cell: its numbers, and the stream of random numbers that makes its trace. */
typedef struct vdi_cell {
    vdi_rng rng;
    /**< at the first number of the trace */
    double rate, fast_tau, fast_sd, slow_tau, slow_sd;
    /**< firing, as in the population */
    double episode_onset, episode_length, episode_rate; /**< 0: none */
    double burst_chance, burst_interval, refractory;
    /**< bursts and least interval */
    double tau, slow, slow_tau_decay, jump_cv; /**< calcium */
    double hill, rest, saturation, rise[3];
    /**< dye; a stage of 0 is none */
    double frame_rate, window, delay;
    /**< Hz; s that a frame sees; s by which it sees later than stamped */
    bool by_power;
    /**< does snr speak of the trace, or of one spike? */
    double snr, shot, drift_tau[3], drift_sd[3], bleach, bleach_tau; /**< noise */
    int64_t frames;                                                  /**< of the trace */
} vdi_cell;

/** Draw cell `index` of `seed`: returns its number of frames (frame k at k / frame_rate), -1 if the
 * description is out of range. */
VDI_API int64_t vdi_population_draw(const vdi_population_desc *p, uint64_t seed, uint64_t index,
                                    vdi_cell *out);
/** Bytes of work memory that any cell of the population needs. */
VDI_API size_t vdi_cell_memsize(const vdi_population_desc *p);
/** Simulate a drawn cell: `trace` (frames), and unless NULL `clean` (frames), the trace without its
 * white noise (drifts are in it). The first `room` spike times, in s from frame 0 and rising, go to
 * `spike`. Returns the number of spikes, -1 if the description is out of range. `work`: memory of
 * vdi_cell_memsize bytes, aligned as malloc's. */
VDI_API int64_t vdi_cell_simulate(const vdi_population_desc *p, const vdi_cell *cell, void *work,
                                  float *trace, float *clean, double *spike, int64_t room);

#endif /* VDI_MODEL_CALCIUM_SIMULATE_H */

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && \
    !defined(VDI_MODEL_CALCIUM_SIMULATE_C)
#define VDI_MODEL_CALCIUM_SIMULATE_C

VDI__FN vdi_span vdi__span(double low, double high) {
    vdi_span s;
    s.low = low;
    s.high = high;
    return s;
}

VDI__DEF vdi_population_desc vdi_population_desc_defaults(void) {
    vdi_population_desc p = VDI__ZERO;
    p.seconds = 30;
    p.warmup = 5;
    p.rate = vdi__span(0.02, 10);
    p.fast_share = 0.7;
    p.fast_tau = vdi__span(0.05, 1);
    p.fast_sd = vdi__span(0, 1.5);
    p.slow_share = 0.7;
    p.slow_tau = vdi__span(1, 15);
    p.slow_sd = vdi__span(0, 2);
    p.episode_share = 0.6;
    p.episode_onset = vdi__span(0.02, 1);
    p.episode_length = vdi__span(0.01, 0.5);
    p.episode_rate = vdi__span(15, 150);
    p.burst_share = 0;
    p.burst_chance = vdi__span(0, 0.6);
    p.burst_interval = vdi__span(0.003, 0.012);
    p.refractory = vdi__span(0.0042, 0.0083);
    p.tau = vdi__span(0.06, 3);
    p.slow_decay_share = 0.3;
    p.slow_decay = vdi__span(0.05, 0.4);
    p.slow_times = vdi__span(2, 6);
    p.jump_cv = vdi__span(0, 0.4);
    p.linear_share = 0.25;
    p.hill = vdi__span(1.2, 3.2);
    p.rest_share = 0.8;
    p.rest = vdi__span(0.03, 2);
    p.saturation_share = 0.7;
    p.saturation = vdi__span(0.003, 0.5);
    p.quick_share = 0.45;
    p.quick = vdi__span(0.002, 0.03);
    p.sluggish = vdi__span(0.03, 0.35);
    p.second_share = 0.5;
    p.third_share = 0;
    p.stage = vdi__span(0.1, 1);
    p.low_share = 0.2;
    p.middle_share = 0.4;
    p.low_frames = vdi__span(5, 10);
    p.middle_frames = vdi__span(10, 60);
    p.high_frames = vdi__span(60, 130);
    p.window = vdi__span(0.05, 1);
    p.offset = vdi__span(0, 0.7);
    p.latency_share = 1;
    p.latency = vdi__span(0.3, 0.8);
    p.latency_most = 0.1;
    p.power_share = 0.1;
    p.power_snr = vdi__span(1, 40);
    p.peak_snr = vdi__span(0.5, 15);
    p.shot_share = 0.5;
    p.shot = vdi__span(0, 1.5);
    p.drift_share[0] = 0.6;
    p.drift_tau[0] = vdi__span(0.1, 1);
    p.drift_sd[0] = vdi__span(0, 0.6);
    p.drift_share[1] = 0.5;
    p.drift_tau[1] = vdi__span(1, 5);
    p.drift_sd[1] = vdi__span(0, 0.7);
    p.drift_share[2] = 0.5;
    p.drift_tau[2] = vdi__span(8, 60);
    p.drift_sd[2] = vdi__span(0, 1);
    p.bleach_share = 0.15;
    p.bleach_tau = vdi__span(3, 30);
    p.bleach = vdi__span(-3, 8);
    return p;
}

VDI__DEF vdi_status vdi_population_desc_check(const vdi_population_desc *p, vdi_error *err) {
    static const char where[] = "vdi_population_desc";
    const struct {
        const char *name;
        double value;
    } share[] = {{"fast_share", p->fast_share},
                 {"slow_share", p->slow_share},
                 {"episode_share", p->episode_share},
                 {"burst_share", p->burst_share},
                 {"linear_share", p->linear_share},
                 {"slow_decay_share", p->slow_decay_share},
                 {"rest_share", p->rest_share},
                 {"quick_share", p->quick_share},
                 {"saturation_share", p->saturation_share},
                 {"second_share", p->second_share},
                 {"third_share", p->third_share},
                 {"low_share + middle_share", p->low_share + p->middle_share},
                 {"low_share", p->low_share},
                 {"middle_share", p->middle_share},
                 {"latency_share", p->latency_share},
                 {"power_share", p->power_share},
                 {"shot_share", p->shot_share},
                 {"drift_share[0]", p->drift_share[0]},
                 {"drift_share[1]", p->drift_share[1]},
                 {"drift_share[2]", p->drift_share[2]},
                 {"bleach_share", p->bleach_share}};
    const struct {
        const char *name;
        vdi_span value;
        double low, high;
    } span[] = {{"rate", p->rate, 1e-6, 1e3},
                {"fast_tau", p->fast_tau, 1e-3, 1e6},
                {"slow_tau", p->slow_tau, 1e-3, 1e6},
                {"fast_sd", p->fast_sd, 0, 4},
                {"slow_sd", p->slow_sd, 0, 4},
                {"episode_onset", p->episode_onset, 1e-9, 1e3},
                {"episode_length", p->episode_length, 1e-6, 1e6},
                {"episode_rate", p->episode_rate, 0, 1e3},
                {"burst_chance", p->burst_chance, 0, 0.95},
                {"burst_interval", p->burst_interval, 1e-6, 1},
                {"refractory", p->refractory, 1e-4, 1},
                {"tau", p->tau, 1e-3, 1e3},
                {"slow_decay", p->slow_decay, 0, 1},
                {"slow_times", p->slow_times, 1e-3, 1e3},
                {"jump_cv", p->jump_cv, 0, 2},
                {"hill", p->hill, 0.1, 5},
                {"rest", p->rest, 1e-9, 1e3},
                {"saturation", p->saturation, 1e-9, 1e3},
                {"quick", p->quick, 1e-4, 1e2},
                {"sluggish", p->sluggish, 1e-4, 1e2},
                {"stage", p->stage, 0, 10},
                {"low_frames", p->low_frames, 1, 1000},
                {"middle_frames", p->middle_frames, 1, 1000},
                {"high_frames", p->high_frames, 1, 1000},
                {"window", p->window, 1e-3, 1},
                {"offset", p->offset, -1, 1},
                {"latency", p->latency, 0, 10},
                {"power_snr", p->power_snr, 1e-3, 1e6},
                {"peak_snr", p->peak_snr, 1e-3, 1e6},
                {"shot", p->shot, 0, 1e3},
                {"drift_tau[0]", p->drift_tau[0], 1e-3, 1e6},
                {"drift_tau[1]", p->drift_tau[1], 1e-3, 1e6},
                {"drift_tau[2]", p->drift_tau[2], 1e-3, 1e6},
                {"drift_sd[0]", p->drift_sd[0], 0, 1e3},
                {"drift_sd[1]", p->drift_sd[1], 0, 1e3},
                {"drift_sd[2]", p->drift_sd[2], 0, 1e3},
                {"bleach_tau", p->bleach_tau, 1e-3, 1e6},
                {"bleach", p->bleach, -1e3, 1e3}};
    if (!(p->seconds >= 4 && p->seconds <= 3600)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "seconds is %g, expected 4..3600",
                             p->seconds);
    }
    if (!(p->warmup >= 2 && p->warmup <= 3600)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "warmup is %g, expected 2..3600",
                             p->warmup);
    }
    if (!(p->latency_most >= 0 && p->latency_most <= 1)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "latency_most is %g, expected 0..1",
                             p->latency_most);
    }
    for (size_t i = 0; i < VDI__COUNT(share); i++) {
        if (!(share[i].value >= 0 && share[i].value <= 1)) {
            return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "%s is %g, expected 0..1",
                                 share[i].name, share[i].value);
        }
    }
    for (size_t i = 0; i < VDI__COUNT(span); i++) {
        if (!(span[i].value.low >= span[i].low && span[i].value.high <= span[i].high &&
              span[i].value.low <= span[i].value.high)) {
            return vdi_error_set(
                err, VDI_ERR_ARGUMENT, where, "%s is %g..%g, expected a rising range inside %g..%g",
                span[i].name, span[i].value.low, span[i].value.high, span[i].low, span[i].high);
        }
    }
    return VDI_OK;
}

/* ======== drawing ============================================================================= */

VDI__FN double vdi__draw(vdi_rng *r, vdi_span s) {
    return s.low + (s.high - s.low) * vdi_rng_uniform(r);
}
VDI__FN double vdi__draw_log(vdi_rng *r, vdi_span s) {
    return s.low * pow(s.high / s.low, vdi_rng_uniform(r));
}
/* The draw is made in any case, so that a share that changes does not change the other numbers of a
 * cell. */
VDI__FN double vdi__draw_if(vdi_rng *r, double share, double value, double otherwise) {
    return vdi_rng_bernoulli(r, share) ? value : otherwise;
}

VDI__DEF int64_t vdi_population_draw(const vdi_population_desc *p, uint64_t seed, uint64_t index,
                                     vdi_cell *c) {
    vdi_rng own = vdi_rng_make(seed, index), *r = &own;
    memset(c, 0, sizeof *c);
    if (vdi_population_desc_check(p, NULL) < 0) return -1;
    c->rate = vdi__draw_log(r, p->rate);
    c->fast_tau = vdi__draw_log(r, p->fast_tau);
    c->fast_sd = vdi__draw_if(r, p->fast_share, vdi__draw(r, p->fast_sd), 0);
    c->slow_tau = vdi__draw_log(r, p->slow_tau);
    c->slow_sd = vdi__draw_if(r, p->slow_share, vdi__draw(r, p->slow_sd), 0);
    c->episode_onset = vdi__draw_if(r, p->episode_share, vdi__draw_log(r, p->episode_onset), 0);
    c->episode_length = vdi__draw_log(r, p->episode_length);
    c->episode_rate = vdi__draw(r, p->episode_rate);
    c->burst_chance = vdi__draw_if(r, p->burst_share, vdi__draw(r, p->burst_chance), 0);
    c->burst_interval = vdi__draw_log(r, p->burst_interval);
    c->refractory = vdi__draw(r, p->refractory);

    c->tau = vdi__draw_log(r, p->tau);
    c->slow = vdi__draw_if(r, p->slow_decay_share, vdi__draw(r, p->slow_decay), 0);
    c->slow_tau_decay = c->tau * vdi__draw(r, p->slow_times);
    c->jump_cv = vdi__draw(r, p->jump_cv);
    c->hill = vdi__draw_if(r, p->linear_share, 1, vdi__draw(r, p->hill));
    c->rest = vdi__draw_if(r, p->rest_share, vdi__draw_log(r, p->rest), 0);
    c->saturation = vdi__draw_if(r, p->saturation_share, vdi__draw_log(r, p->saturation), 0);
    c->rise[0] =
        vdi__draw_if(r, p->quick_share, vdi__draw_log(r, p->quick), vdi__draw_log(r, p->sluggish));
    c->rise[0] = VDI__MIN(c->rise[0], c->tau);
    c->rise[1] = vdi__draw_if(r, p->second_share, c->rise[0] * vdi__draw(r, p->stage), 0);
    c->rise[2] = c->rise[0] * vdi__draw(r, p->stage) *
                 (double)vdi_rng_bernoulli(r, p->third_share) * (double)(c->rise[1] > 0);

    const double band = vdi_rng_uniform(r);
    c->frame_rate = vdi__draw(r, band < p->low_share                     ? p->low_frames
                                 : band < p->low_share + p->middle_share ? p->middle_frames
                                                                         : p->high_frames);
    c->window = vdi__draw(r, p->window) / c->frame_rate;
    c->delay = vdi__draw(r, p->offset) / c->frame_rate;
    /* a quick dye answers at once; a slow one, whose binding has many steps, waits for about its
     * rise */
    const double latency = vdi__draw(r, p->latency) * c->rise[0] * c->rise[0] / (c->rise[0] + 0.03);
    c->delay -= vdi__draw_if(r, p->latency_share, VDI__MIN(latency, p->latency_most), 0);

    c->by_power = vdi_rng_bernoulli(r, p->power_share);
    const double by_power = vdi__draw_log(r, p->power_snr), by_peak = vdi__draw_log(r, p->peak_snr);
    c->snr = c->by_power ? by_power : by_peak;
    c->shot = vdi__draw_if(r, p->shot_share, vdi__draw(r, p->shot), 0);
    for (int i = 0; i < 3; i++) {
        c->drift_tau[i] = vdi__draw_log(r, p->drift_tau[i]);
        c->drift_sd[i] = vdi__draw_if(r, p->drift_share[i], vdi__draw(r, p->drift_sd[i]), 0);
    }
    c->bleach_tau = vdi__draw(r, p->bleach_tau);
    c->bleach = vdi__draw_if(r, p->bleach_share, vdi__draw(r, p->bleach), 0);
    c->frames = (int64_t)floor(p->seconds * c->frame_rate);
    c->rng = own;
    return c->frames;
}

/* ======== one trace =========================================================================== */

/* One second of margin at the end: frames may see beyond the last stamp. */
VDI__FN int64_t vdi__cell_steps(const vdi_population_desc *p) {
    return (int64_t)((p->seconds + p->warmup + 1) * VDI_CELL_GRID);
}

VDI__DEF size_t vdi_cell_memsize(const vdi_population_desc *p) {
    const size_t n = (size_t)vdi__cell_steps(p) + 1;
    return 3 * vdi_align_size(n * sizeof(float)) + vdi_align_size(n * sizeof(double)) + VDI_ALIGN;
}

/* A jump of the calcium at time s: it is put on the next point of the grid, decayed by what has
 * passed until there. */
VDI__FN void vdi__cell_jump(const vdi_cell *c, vdi_rng *r, double s, int64_t n, float *fast,
                            float *slow) {
    const double at = ceil(s * VDI_CELL_GRID), passed = at / VDI_CELL_GRID - s;
    const double shape = c->jump_cv > 0.01 ? 1 / (c->jump_cv * c->jump_cv) : 0;
    const double a = shape > 0 ? vdi_rng_gamma(r, shape) / shape : 1;
    const int64_t i = (int64_t)at;
    if (i < 0 || i >= n) return;
    fast[i] += (float)(a * (1 - c->slow) * exp(-passed / c->tau));
    if (c->slow > 0) slow[i] += (float)(a * c->slow * exp(-passed / c->slow_tau_decay));
}

/* Spikes of a rate that changes every 1/30 s, by time rescaling: the next one comes when the summed
   rate since the last has passed an exponential number. Bursts and the refractory time are laid on
   top. */
VDI__FN int64_t vdi__cell_spikes(const vdi_population_desc *p, const vdi_cell *c, vdi_rng *r,
                                 int64_t n, float *fast, float *slow, double *spike, int64_t room) {
    const double step = 8.0 / VDI_CELL_GRID;
    const double end = p->seconds + 0.5;
    const double a_fast = exp(-step / c->fast_tau);
    const double a_slow = exp(-step / c->slow_tau);
    const double b_fast = sqrt(1 - a_fast * a_fast), b_slow = sqrt(1 - a_slow * a_slow);
    double z_fast = vdi_rng_normal(r);
    double z_slow = vdi_rng_normal(r);
    double left = 0;
    double wait = vdi_rng_exponential(r);
    double last = -1e9;
    int64_t count = 0;
    for (double t = -p->warmup; t < end; t += step) {
        double rate = c->rate, from = t;
        if (c->fast_sd > 0) {
            z_fast = a_fast * z_fast + b_fast * vdi_rng_normal(r);
            rate *= exp(c->fast_sd * (z_fast - 0.5 * c->fast_sd));
        }
        if (c->slow_sd > 0) {
            z_slow = a_slow * z_slow + b_slow * vdi_rng_normal(r);
            rate *= exp(c->slow_sd * (z_slow - 0.5 * c->slow_sd));
        }
        if (c->episode_onset > 0) {
            if (vdi_rng_uniform(r) < c->episode_onset * step)
                left = vdi_rng_exponential(r) * c->episode_length;
            if (left > 0) rate += c->episode_rate;
            left -= step;
        }
        while (wait < rate * (t + step - from)) {
            from += wait / rate;
            for (double s = from;;) {
                if (s - last >= c->refractory) {
                    vdi__cell_jump(c, r, s + p->warmup, n, fast, slow);
                    last = s;
                    if (s >= -1 && s < p->seconds + 0.25) {
                        if (count < room) spike[count] = s;
                        count++;
                    }
                }
                if (!(c->burst_chance > 0) || vdi_rng_uniform(r) >= c->burst_chance) break;
                s = VDI__MAX(s, last) + c->refractory + vdi_rng_exponential(r) * c->burst_interval;
            }
            wait = vdi_rng_exponential(r);
        }
        wait -= rate * (t + step - from);
    }
    return count;
}

VDI__FN void vdi__first_order(int64_t n, double tau, float *x) {
    const float keep = (float)exp(-1 / (VDI_CELL_GRID * tau));
    float y = x[0];
    for (int64_t i = 0; i < n; i++)
        x[i] = y = x[i] + (y - x[i]) * keep;
}

/* Calcium in c becomes the light of the dye, in place; s is scratch. */
VDI__FN void vdi__cell_dye(const vdi_cell *cell, int64_t n, float *c, float *s) {
    const vdi__kernels *k = vdi__kernels_of(VDI_F32);
    const float rest = (float)cell->rest;
    const float at_rest = (float)pow(cell->rest, cell->hill);
    const float saturation = (float)cell->saturation;
    if (cell->hill != 1) {
        for (int64_t i = 0; i < n; i++)
            c[i] = rest + c[i] > 1e-12f ? rest + c[i] : 1e-12f;
        k->unary[VDI_LOG]((size_t)n, 0, c, s);
        for (int64_t i = 0; i < n; i++)
            s[i] *= (float)cell->hill;
        k->unary[VDI_EXP]((size_t)n, 0, s, c);
        for (int64_t i = 0; i < n; i++)
            c[i] = c[i] > at_rest ? c[i] - at_rest : 0;
    }
    const float speed = (float)(-1 / (VDI_CELL_GRID * cell->rise[0]));
    for (int64_t i = 0; i < n; i++)
        s[i] = speed * (1 + saturation * c[i]);
    k->unary[VDI_EXP]((size_t)n, 0, s, s);
    float p = 0;
    for (int64_t i = 0; i < n; i++) {
        const float target = c[i] / (1 + saturation * c[i]);
        c[i] = p = target + (p - target) * s[i];
    }
    for (int j = 1; j < 3; j++)
        if (cell->rise[j] > 0) vdi__first_order(n, cell->rise[j], c);
}

/* About how high one spike rises above rest: its equilibrium, times the peak (rho)^(rho / (1 -
   rho)) of a decay seen through a first-order rise of rho times its time constant. Exact for a
   linear dye of one stage. */
VDI__FN double vdi__cell_peak(const vdi_cell *c) {
    const double u = pow(c->rest + 1, c->hill) - pow(c->rest, c->hill), g = 1 + c->saturation * u;
    const double rho = VDI__MIN(0.999, (c->rise[0] / g + c->rise[1] + c->rise[2]) / c->tau);
    return u / g * pow(rho, rho / (1 - rho));
}

VDI__DEF int64_t vdi_cell_simulate(const vdi_population_desc *p, const vdi_cell *cell, void *work,
                                   float *trace, float *clean, double *spike, int64_t room) {
    if (vdi_population_desc_check(p, NULL) < 0 || !(cell->frame_rate > 0)) return -1;
    const int64_t n = vdi__cell_steps(p), frames = cell->frames;
    const size_t row = vdi_align_size(((size_t)n + 1) * sizeof(float));
    char *at = (char *)(((uintptr_t)work + VDI_ALIGN - 1) & ~(uintptr_t)(VDI_ALIGN - 1));
    float *c = (float *)(void *)at;
    float *slow = (float *)(void *)(at + row);
    float *s = (float *)(void *)(at + 2 * row);
    double *sum = (double *)(void *)(at + 3 * row);
    vdi_rng rng = cell->rng, *r = &rng;

    memset(c, 0, row);
    memset(slow, 0, row);
    const int64_t spikes = vdi__cell_spikes(p, cell, r, n, c, slow, spike, spike ? room : 0);
    const float keep = (float)exp(-1 / (VDI_CELL_GRID * cell->tau));
    const float keep_slow = (float)exp(-1 / (VDI_CELL_GRID * cell->slow_tau_decay));
    for (int64_t i = 1; i < n; i++)
        c[i] += keep * c[i - 1];
    if (cell->slow > 0) {
        for (int64_t i = 1; i < n; i++)
            slow[i] += keep_slow * slow[i - 1];
        for (int64_t i = 0; i < n; i++)
            c[i] += slow[i];
    }
    vdi__cell_dye(cell, n, c, s);

    /* frames, from the running integral of the light */
    sum[0] = 0;
    for (int64_t i = 0; i < n; i++)
        sum[i + 1] = sum[i] + (double)c[i];
    double mean = 0, square = 0;
    for (int64_t k = 0; k < frames; k++) {
        const double middle = (double)k / cell->frame_rate + cell->delay + p->warmup;
        const double edge[2] = {middle - 0.5 * cell->window, middle + 0.5 * cell->window};
        double integral[2];
        for (int e = 0; e < 2; e++) {
            const double x = VDI__MAX(0, VDI__MIN(edge[e] * VDI_CELL_GRID, (double)n - 1e-9));
            const int64_t i = (int64_t)x;
            integral[e] = sum[i] + (x - (double)i) * (double)c[i];
        }
        const double y = (integral[1] - integral[0]) / (cell->window * VDI_CELL_GRID);
        trace[k] = (float)y;
        mean += y;
        square += y * y;
    }
    mean /= (double)frames;
    const double sd = sqrt(VDI__MAX(0, square / (double)frames - mean * mean));
    const double peak = vdi__cell_peak(cell);

    /* noise; a cell that has hardly fired has no power to measure it by */
    const double noise = cell->by_power && sd > 1e-3 * peak
                             ? sd / cell->snr
                             : sqrt(cell->frame_rate / 30) * peak /
                                   (cell->by_power ? VDI__MIN(cell->snr, 10) : cell->snr);
    const double thin = cell->frame_rate > 30 ? sqrt(30 / cell->frame_rate) : 1;
    double z[3], a[3], b[3];
    for (int j = 0; j < 3; j++) {
        a[j] = exp(-1 / (cell->frame_rate * cell->drift_tau[j]));
        b[j] = sqrt(1 - a[j] * a[j]);
        z[j] = vdi_rng_normal(r);
    }
    for (int64_t k = 0; k < frames; k++) {
        const double y = (double)trace[k];
        double e = vdi_rng_normal(r), slowly = 0;
        if (cell->shot > 0) e *= sqrt(1 + cell->shot * VDI__MAX(y, 0) / (sd + peak));
        for (int j = 0; j < 3; j++) {
            if (cell->drift_sd[j] > 0) {
                slowly += z[j] * cell->drift_sd[j] * thin;
                z[j] = a[j] * z[j] + b[j] * vdi_rng_normal(r);
            }
        }
        if (cell->bleach != 0)
            slowly += cell->bleach * exp(-(double)k / (cell->frame_rate * cell->bleach_tau));
        if (clean) clean[k] = (float)(y + noise * slowly);
        trace[k] = (float)(y + noise * (slowly + e));
    }
    return spikes;
}
#endif
