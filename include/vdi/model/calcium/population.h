/* model/calcium/population.h - populations of cells over wide ranges of indicator, noise, firing
 * and microscope
 *
 * Do this:
 *     vdi_population_desc p = vdi_population_desc_defaults();
 *     vdi_cell cell;                                          what cell 7 of seed 1 was drawn as
 *     int64_t frames = vdi_population_draw(&p, 1, 7, &cell);  how many frames it has
 *     printf("%lld frames at %g Hz, decay %g s\n", (long long)frames, cell.frame_rate, cell.tau);
 *
 * A network that is to work on any recording has to have seen any recording. So a cell is drawn
 * from ranges that are as wide as the indicators, preparations and microscopes in use:
 *   firing      rates with slow and fast changes, episodes of up to some seconds, bursts of a few
 *               milliseconds, tonic cells without a silent stretch (whose single spikes are small,
 *               as their calcium is buffered), cells without a spike, and a rate that no cell
 *               exceeds
 *   calcium     one or two decays, from the fast dyes of today to slow ones in the cold
 *   dye         cooperativity, saturation and up to three stages of rise
 *   microscope  frames of 2 to 130 Hz that see a part of their time and are stamped early or late
 *   noise       white, growing with the signal, drifting, bleaching
 *   artefacts   heart beat and breathing, single wild frames, dips when the tissue moves, slow
 *               surges, saturated detectors, traces that were smoothed before they were handed over
 *   recording   from a few seconds to minutes, of a cell that has lived before it
 * All times in seconds, rates in Hz. simulate.h makes the trace; the single models that are fitted
 * to data are in calcium.h.
 *
 * Zero is a value here, not the default: begin with vdi_population_desc_defaults(). Memory: none.
 * Errors: vdi_population_desc_check reports a description out of range, for which draw returns -1.
 * Randomness: cell i of a seed is the same whatever else is drawn. Threads: no state.
 */
#ifndef VDI_MODEL_CALCIUM_POPULATION_H
#define VDI_MODEL_CALCIUM_POPULATION_H
#include "../../core/field.h"
#include "../../core/rng.h"
#include "../../core/status.h"

/** Kinds of slow additive noise. */
#define VDI_CELL_DRIFTS 3

/** A range to draw from. */
typedef struct vdi_span {
    double low, high; /**< both ends */
} vdi_span;

/** What a population is drawn from: ranges, and the shares of cells that have a property at all.
 * The fields' defaults, ranges and meaning: vdi_population_desc_fields. Ranges are drawn
 * log-uniformly where the help says so, else uniformly. */
typedef struct vdi_population_desc {
    /* recording */
    vdi_span seconds; /**< of a trace */
    double warmup;    /**< simulated before it */
    /* firing */
    vdi_span rate;                                 /**< before it is changed by what follows */
    double fast_share, slow_share;                 /**< cells with a fast, a slow process in their
                                                        log rate (Ornstein and Uhlenbeck) */
    vdi_span fast_tau, slow_tau, fast_sd, slow_sd; /**< of these */
    double episode_share;                          /**< cells with episodes of high rate */
    vdi_span episode_onset, episode_length, episode_rate; /**< of these */
    double burst_share;                                   /**< cells whose spikes come in bursts */
    vdi_span burst_chance, burst_interval;                /**< of these */
    double tonic_share;                                   /**< cells that fire on and on */
    vdi_span tonic_rate, tonic_peak;                      /**< of these */
    double tonic_sd;     /**< what is left of both processes in them */
    double silent_share; /**< cells without a spike */
    vdi_span ceiling;    /**< rate that is approached but not exceeded */
    vdi_span refractory; /**< least interval of any two spikes */
    /* calcium */
    double swift_share;              /**< cells with a fast decay */
    vdi_span swift_tau, tau;         /**< decay of these, of the others */
    double slow_decay_share;         /**< cells with a second decay */
    vdi_span slow_decay, slow_times; /**< its part of each jump; its time in units of the first */
    vdi_span jump_cv;                /**< variation of the jump from spike to spike */
    /* dye */
    double linear_share;      /**< cells with Hill exponent 1 */
    vdi_span hill;            /**< of the others */
    double rest_share;        /**< cells with resting calcium */
    vdi_span rest;            /**< in jumps of one spike */
    double saturation_share;  /**< cells that saturate */
    vdi_span saturation;      /**< how strongly */
    double quick_share;       /**< cells with a quick rise */
    vdi_span quick, sluggish; /**< first stage of rise of these, of the others */
    double rise_most;    /**< at most, in units of the decay: what lets calcium go fast binds it
                                   fast */
    double second_share; /**< cells with a second stage */
    double third_share;  /**< those of them with a third one */
    vdi_span stage;      /**< later stages, in units of the first */
    /* microscope */
    double low_share, middle_share;                  /**< cells at low, at middle frame rates */
    vdi_span low_frames, middle_frames, high_frames; /**< frame rates */
    vdi_span window;                                 /**< part of a frame that it sees */
    vdi_span offset;      /**< frames by which it is seen later than its stamp says */
    double latency_share; /**< cells that answer late by more than their rise */
    vdi_span latency;     /**< of these, in rise times (less for a quick rise) */
    double latency_most;  /**< at most */
    /* noise, in units of the white noise's standard deviation unless said */
    double
        power_share; /**< cells whose noise is set by the power of the trace, not by the height of
                             one spike */
    vdi_span power_snr; /**< standard deviation of the trace over that of the noise */
    vdi_span peak_snr;  /**< peak of one spike over the noise of a frame of 1/30 s, which grows with
                             the root of the frame rate */
    double shot_share;  /**< cells whose variance grows with the signal */
    vdi_span shot;      /**< by how much */
    double drift_share[VDI_CELL_DRIFTS]; /**< cells with slow additive noise of three kinds */
    vdi_span drift_tau[VDI_CELL_DRIFTS], drift_sd[VDI_CELL_DRIFTS]; /**< of these */
    double bleach_share;         /**< cells with an exponential over the trace */
    vdi_span bleach_tau, bleach; /**< its time; its amplitude */
    /* artefacts, in the same units */
    double wave_share;                   /**< traces with a periodic artefact */
    vdi_span wave_rate, wave_sd;         /**< of these */
    double outlier_share;                /**< traces with single wild frames */
    vdi_span outlier_onset, outlier;     /**< of these */
    double dip_share;                    /**< traces with dips */
    vdi_span dip_onset, dip_length, dip; /**< of these */
    double surge_share;                  /**< traces with surges far above the noise */
    vdi_span surge_tau, surge_sd;        /**< of these */
    double clip_share;                   /**< traces that are cut off at the top */
    vdi_span clip;                       /**< where, between their least and their largest value */
    double smooth_share;                 /**< traces that were smoothed */
    vdi_span smooth;                     /**< by a Gaussian of so many frames */
} vdi_population_desc;

/** Its fields: a range is two, "rate.low" and "rate.high". */
VDI_API const vdi_fields *vdi_population_desc_fields(void);
/** The ranges that the pretrained network is trained on. */
VDI_API vdi_population_desc vdi_population_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_population_desc_check(const vdi_population_desc *p, vdi_error *err);

/** One drawn cell: its numbers, and the stream of random numbers that makes its trace. A property
 * that it does not have is 0. */
typedef struct vdi_cell {
    vdi_rng rng;                                        /**< at the first number of the trace */
    double seconds, warmup;                             /**< of the recording, and before it */
    double rate, fast_tau, fast_sd, slow_tau, slow_sd;  /**< firing, as in the population */
    double episode_onset, episode_length, episode_rate; /**< episodes of firing */
    double burst_chance, burst_interval, ceiling, refractory; /**< bursts and limits */
    double tau, slow, slow_tau_decay, jump_cv;                /**< calcium */
    double hill, rest, saturation, rise[3];                   /**< dye */
    double frame_rate, window, delay;     /**< Hz; s that a frame sees; s by which it sees
                                                        later than stamped */
    bool by_power;                        /**< is snr of the trace, or of one spike? */
    double snr, shot, bleach, bleach_tau; /**< noise */
    double drift_tau[VDI_CELL_DRIFTS];    /**< drifts of the baseline: time constants, s */
    double drift_sd[VDI_CELL_DRIFTS];     /**< and their standard deviations */
    double wave_rate, wave_sd, outlier_onset, outlier, dip_onset, dip_length, dip; /**< artefacts */
    double surge_tau, surge_sd, clip, smooth; /**< more of them */
    int64_t frames;                           /**< of the trace */
} vdi_cell;

/** Draw cell `index` of `seed`: returns its number of frames (frame k at k / frame_rate), -1 if the
 * description is out of range. */
VDI_API int64_t vdi_population_draw(const vdi_population_desc *p, uint64_t seed, uint64_t index,
                                    vdi_cell *out);

#endif /* VDI_MODEL_CALCIUM_POPULATION_H */

#if defined(VDI__BODIES) && defined(VDI_CALCIUM_IMPLEMENTATION) && \
    !defined(VDI_MODEL_CALCIUM_POPULATION_C)
#define VDI_MODEL_CALCIUM_POPULATION_C

/* ======== description ========================================================================= */

#define VDI__SHARE(member, initial, help) \
    VDI_FIELD_REAL(vdi_population_desc, member, initial, 0, 1, help)
#define VDI__NUMBER(member, initial, least, most, help) \
    VDI_FIELD_REAL(vdi_population_desc, member, initial, least, most, help)
#define VDI__SPAN(member, first, last, least, most, help)                               \
    VDI_FIELD_REAL(vdi_population_desc, member.low, first, least, most, "least " help), \
        VDI_FIELD_REAL(vdi_population_desc, member.high, last, least, most, "most " help)
static const vdi_field vdi__population_rows[] = {
    VDI__SPAN(seconds, 5, 240, 2, 3600, "length of a trace, log, s"),
    VDI__NUMBER(warmup, 12, 2, 3600, "simulated before the trace, s"),
    VDI__SPAN(rate, 0.01, 10, 1e-6, 1e3, "rate, log, Hz"),
    VDI__SHARE(fast_share, 0.7, "cells with fast changes of rate"),
    VDI__SPAN(fast_tau, 0.05, 1, 1e-3, 1e6, "time constant of these, log, s"),
    VDI__SPAN(fast_sd, 0, 1.2, 0, 4, "their standard deviation in log units"),
    VDI__SHARE(slow_share, 0.7, "cells with slow changes of rate"),
    VDI__SPAN(slow_tau, 1, 15, 1e-3, 1e6, "time constant of these, log, s"),
    VDI__SPAN(slow_sd, 0, 1.5, 0, 4, "their standard deviation in log units"),
    VDI__SHARE(episode_share, 0.6, "cells with episodes of high rate"),
    VDI__SPAN(episode_onset, 0.005, 1, 1e-9, 1e3, "onsets of episodes, log, Hz"),
    VDI__SPAN(episode_length, 0.01, 4, 1e-6, 1e6, "mean length of episodes, log, s"),
    VDI__SPAN(episode_rate, 5, 120, 0, 1e3, "rate added in episodes, Hz"),
    VDI__SHARE(burst_share, 0.3, "cells whose spikes come in bursts"),
    VDI__SPAN(burst_chance, 0.1, 0.8, 0, 0.95, "chance of one more spike of a burst"),
    VDI__SPAN(burst_interval, 0.001, 0.012, 1e-6, 1,
              "mean interval in a burst beyond the refractory time, log, s"),
    VDI__SHARE(tonic_share, 0.15, "cells that fire on and on"),
    VDI__SPAN(tonic_rate, 4, 60, 1e-6, 1e3, "rate of these, log, Hz"),
    VDI__SPAN(tonic_peak, 0.12, 1, 1e-6, 1e3, "factor on the height of their spikes, log"),
    VDI__NUMBER(tonic_sd, 0.5, 0, 1, "factor on their changes of rate"),
    VDI__SHARE(silent_share, 0.06, "cells without a spike"),
    VDI__SPAN(ceiling, 15, 150, 1e-3, 1e6, "rate that is not exceeded, log, Hz"),
    VDI__SPAN(refractory, 0.0015, 0.006, 1e-4, 1, "interval of any two spikes, s"),
    VDI__SHARE(swift_share, 0.3, "cells with a fast decay"),
    VDI__SPAN(swift_tau, 0.05, 0.3, 1e-3, 1e3, "decay of these, log, s"),
    VDI__SPAN(tau, 0.25, 4, 1e-3, 1e3, "decay of the others, log, s"),
    VDI__SHARE(slow_decay_share, 0.3, "cells with a second decay"),
    VDI__SPAN(slow_decay, 0.05, 0.4, 0, 1, "part of a jump that decays slowly"),
    VDI__SPAN(slow_times, 2, 6, 1e-3, 1e3, "second decay in units of the first"),
    VDI__SPAN(jump_cv, 0, 0.4, 0, 2, "coefficient of variation of the jumps"),
    VDI__SHARE(linear_share, 0.25, "cells with Hill exponent 1"),
    VDI__SPAN(hill, 1.2, 3.2, 0.1, 5, "Hill exponent of the others"),
    VDI__SHARE(rest_share, 0.8, "cells with resting calcium"),
    VDI__SPAN(rest, 0.03, 2, 1e-9, 1e3, "resting calcium in jumps of one spike, log"),
    VDI__SHARE(saturation_share, 0.7, "cells that saturate"),
    VDI__SPAN(saturation, 0.003, 0.5, 1e-9, 1e3, "saturation, log"),
    VDI__SHARE(quick_share, 0.45, "cells with a quick rise"),
    VDI__SPAN(quick, 0.002, 0.03, 1e-4, 1e2, "rise of these, log, s"),
    VDI__SPAN(sluggish, 0.03, 0.35, 1e-4, 1e2, "rise of the others, log, s"),
    VDI__NUMBER(rise_most, 0.4, 1e-3, 1, "first stage of rise at most, in units of the decay"),
    VDI__SHARE(second_share, 0.5, "cells with a second stage of rise"),
    VDI__SHARE(third_share, 0, "those of them with a third one"),
    VDI__SPAN(stage, 0.1, 1, 0, 10, "later stage in units of the first"),
    VDI__SHARE(low_share, 0.2, "cells at low frame rates"),
    VDI__SHARE(middle_share, 0.4, "cells at middle ones; the rest at high ones"),
    VDI__SPAN(low_frames, 2, 10, 1, 1000, "low frame rate, Hz"),
    VDI__SPAN(middle_frames, 10, 60, 1, 1000, "middle frame rate, Hz"),
    VDI__SPAN(high_frames, 60, 130, 1, 1000, "high frame rate, Hz"),
    VDI__SPAN(window, 0.05, 1, 1e-3, 1, "part of a frame that it sees"),
    VDI__SPAN(offset, 0, 0.7, -1, 1, "frames seen later than stamped"),
    VDI__SHARE(latency_share, 1, "cells that answer late by more than their rise"),
    VDI__SPAN(latency, 0.3, 0.8, 0, 10, "latency of these in rise times"),
    VDI__NUMBER(latency_most, 0.1, 0, 1, "latency at most, s"),
    VDI__SHARE(power_share, 0.1, "cells whose noise is set by the power of the trace"),
    VDI__SPAN(power_snr, 1, 40, 1e-3, 1e6, "trace over noise in these, log"),
    VDI__SPAN(peak_snr, 0.3, 25, 1e-3, 1e6, "one spike over the noise of 1/30 s, log"),
    VDI__SHARE(shot_share, 0.5, "cells whose variance grows with the signal"),
    VDI__SPAN(shot, 0, 1.5, 0, 1e3, "growth of the variance"),
    VDI__SHARE(drift_share[0], 0.6, "cells with noise of the first slow kind"),
    VDI__SPAN(drift_tau[0], 0.1, 1, 1e-3, 1e6, "its time constant, log, s"),
    VDI__SPAN(drift_sd[0], 0, 0.6, 0, 1e3, "its standard deviation"),
    VDI__SHARE(drift_share[1], 0.5, "cells with noise of the second slow kind"),
    VDI__SPAN(drift_tau[1], 1, 5, 1e-3, 1e6, "its time constant, log, s"),
    VDI__SPAN(drift_sd[1], 0, 0.7, 0, 1e3, "its standard deviation"),
    VDI__SHARE(drift_share[2], 0.5, "cells with noise of the third slow kind"),
    VDI__SPAN(drift_tau[2], 8, 60, 1e-3, 1e6, "its time constant, log, s"),
    VDI__SPAN(drift_sd[2], 0, 1, 0, 1e3, "its standard deviation"),
    VDI__SHARE(bleach_share, 0.15, "cells that bleach"),
    VDI__SPAN(bleach_tau, 3, 30, 1e-3, 1e6, "time constant of bleaching, s"),
    VDI__SPAN(bleach, -3, 8, -1e3, 1e3, "amplitude of bleaching"),
    VDI__SHARE(wave_share, 0.1, "traces with a periodic artefact"),
    VDI__SPAN(wave_rate, 0.2, 3, 1e-3, 1e3, "its frequency, log, Hz"),
    VDI__SPAN(wave_sd, 0.1, 2, 1e-6, 1e3, "its standard deviation, log"),
    VDI__SHARE(outlier_share, 0.08, "traces with single wild frames"),
    VDI__SPAN(outlier_onset, 0.005, 0.3, 1e-9, 1e3, "their rate, log, Hz"),
    VDI__SPAN(outlier, 4, 25, 1e-6, 1e6, "their mean size, log"),
    VDI__SHARE(dip_share, 0.06, "traces with dips"),
    VDI__SPAN(dip_onset, 0.005, 0.1, 1e-9, 1e3, "onsets of dips, log, Hz"),
    VDI__SPAN(dip_length, 0.05, 2, 1e-3, 1e6, "mean length of dips, log, s"),
    VDI__SPAN(dip, 2, 15, 1e-6, 1e6, "depth of dips, log"),
    VDI__SHARE(surge_share, 0.06, "traces with slow surges"),
    VDI__SPAN(surge_tau, 10, 60, 1e-3, 1e6, "time constant of surges, log, s"),
    VDI__SPAN(surge_sd, 1, 6, 1e-6, 1e3, "standard deviation of surges, log"),
    VDI__SHARE(clip_share, 0.03, "traces that are cut off at the top"),
    VDI__SPAN(clip, 0.3, 0.95, 0, 1, "where, between least and largest value"),
    VDI__SHARE(smooth_share, 0.1, "traces that were smoothed"),
    VDI__SPAN(smooth, 0.5, 2, 0, 100, "standard deviation of the smoothing, frames"),
};
#undef VDI__SHARE
#undef VDI__NUMBER
#undef VDI__SPAN

VDI__DEF const vdi_fields *vdi_population_desc_fields(void) {
    static const vdi_fields table = {"vdi_population_desc", vdi__population_rows,
                                     (int)VDI__COUNT(vdi__population_rows)};
    return &table;
}

VDI__DEF vdi_population_desc vdi_population_desc_defaults(void) {
    vdi_population_desc p = VDI__ZERO;
    vdi_fields_fill(vdi_population_desc_fields(), &p);
    return p;
}

VDI__DEF vdi_status vdi_population_desc_check(const vdi_population_desc *p, vdi_error *err) {
    const vdi_fields *table = vdi_population_desc_fields();
    const vdi_status status = vdi_fields_check(table, p, err);
    if (status < 0) return status;
    for (int i = 0; i + 1 < table->count; i++) { /* "x.low" has "x.high" behind it */
        const char *dot = strchr(table->rows[i].name, '.');
        const vdi_span *span =
            (const vdi_span *)(const void *)((const char *)p + table->rows[i].offset);
        if (!dot || strcmp(dot, ".low") != 0 || span->low <= span->high) continue;
        return vdi_error_set(err, VDI_ERR_ARGUMENT, table->name,
                             "%s is %g and %s %g: expected a rising range", table->rows[i].name,
                             span->low, table->rows[i + 1].name, span->high);
    }
    if (!(p->low_share + p->middle_share <= 1)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, table->name,
                             "low_share + middle_share is %g, expected at most 1",
                             p->low_share + p->middle_share);
    }
    return VDI_OK;
}

/* ======== drawing =============================================================================
 * Each number is drawn in a statement of its own and in any case, so that the order of evaluation
 * does not matter, and a share that changes does not change the other numbers of a cell. */

VDI__FN double vdi__draw(vdi_rng *r, vdi_span s) {
    return s.low + (s.high - s.low) * vdi_rng_uniform(r);
}
VDI__FN double vdi__draw_log(vdi_rng *r, vdi_span s) {
    return s.low * pow(s.high / s.low, vdi_rng_uniform(r));
}
/* `value` in a share of the cells, else `otherwise` */
VDI__FN double vdi__draw_if(vdi_rng *r, double share, double value, double otherwise) {
    return vdi_rng_bernoulli(r, share) ? value : otherwise;
}

VDI__FN void vdi__draw_firing(const vdi_population_desc *p, vdi_rng *r, vdi_cell *c) {
    c->rate = vdi__draw_log(r, p->rate);
    c->fast_tau = vdi__draw_log(r, p->fast_tau);
    c->fast_sd = vdi__draw(r, p->fast_sd);
    c->fast_sd = vdi__draw_if(r, p->fast_share, c->fast_sd, 0);
    c->slow_tau = vdi__draw_log(r, p->slow_tau);
    c->slow_sd = vdi__draw(r, p->slow_sd);
    c->slow_sd = vdi__draw_if(r, p->slow_share, c->slow_sd, 0);
    c->episode_onset = vdi__draw_log(r, p->episode_onset);
    c->episode_onset = vdi__draw_if(r, p->episode_share, c->episode_onset, 0);
    c->episode_length = vdi__draw_log(r, p->episode_length);
    c->episode_rate = vdi__draw(r, p->episode_rate);
    c->burst_chance = vdi__draw(r, p->burst_chance);
    c->burst_chance = vdi__draw_if(r, p->burst_share, c->burst_chance, 0);
    c->burst_interval = vdi__draw_log(r, p->burst_interval);
    c->refractory = vdi__draw(r, p->refractory);
    c->ceiling = vdi__draw_log(r, p->ceiling);
    c->rate *= 1 - c->burst_chance; /* a rate of spikes, not of bursts */
}

/* Cells of a kind of their own. Returns the factor on the height of a spike. */
VDI__FN double vdi__draw_kind(const vdi_population_desc *p, vdi_rng *r, vdi_cell *c) {
    const bool tonic = vdi_rng_bernoulli(r, p->tonic_share);
    const bool silent = vdi_rng_bernoulli(r, p->silent_share);
    const double rate = vdi__draw_log(r, p->tonic_rate), peak = vdi__draw_log(r, p->tonic_peak);
    if (tonic) {
        c->rate = rate * (1 - 0.5 * c->burst_chance);
        c->fast_sd *= p->tonic_sd;
        c->slow_sd *= p->tonic_sd;
        c->episode_onset *= 0.5;
        c->ceiling += rate;
    }
    if (silent) {
        c->rate = 0;
        c->episode_onset = 0;
    }
    return tonic ? peak : 1;
}

VDI__FN void vdi__draw_dye(const vdi_population_desc *p, vdi_rng *r, vdi_cell *c) {
    const double swift = vdi__draw_log(r, p->swift_tau), tau = vdi__draw_log(r, p->tau);
    c->tau = vdi__draw_if(r, p->swift_share, swift, tau);
    c->slow = vdi__draw(r, p->slow_decay);
    c->slow = vdi__draw_if(r, p->slow_decay_share, c->slow, 0);
    c->slow_tau_decay = c->tau * vdi__draw(r, p->slow_times);
    c->jump_cv = vdi__draw(r, p->jump_cv);
    c->hill = vdi__draw(r, p->hill);
    c->hill = vdi__draw_if(r, p->linear_share, 1, c->hill);
    c->rest = vdi__draw_log(r, p->rest);
    c->rest = vdi__draw_if(r, p->rest_share, c->rest, 0);
    c->saturation = vdi__draw_log(r, p->saturation);
    c->saturation = vdi__draw_if(r, p->saturation_share, c->saturation, 0);
    const double quick = vdi__draw_log(r, p->quick), sluggish = vdi__draw_log(r, p->sluggish);
    c->rise[0] = vdi__draw_if(r, p->quick_share, quick, sluggish);
    c->rise[0] = VDI__MIN(c->rise[0], p->rise_most * c->tau);
    c->rise[1] = c->rise[0] * vdi__draw(r, p->stage);
    c->rise[1] = vdi__draw_if(r, p->second_share, c->rise[1], 0);
    c->rise[2] = c->rise[0] * vdi__draw(r, p->stage);
    c->rise[2] = vdi__draw_if(r, p->third_share, c->rise[2], 0) * (double)(c->rise[1] > 0);
}

VDI__FN void vdi__draw_microscope(const vdi_population_desc *p, vdi_rng *r, vdi_cell *c) {
    const double band = vdi_rng_uniform(r);
    c->frame_rate = vdi__draw(r, band < p->low_share                     ? p->low_frames
                                 : band < p->low_share + p->middle_share ? p->middle_frames
                                                                         : p->high_frames);
    c->window = vdi__draw(r, p->window) / c->frame_rate;
    c->delay = vdi__draw(r, p->offset) / c->frame_rate;
    /* a quick dye answers at once; a slow one, whose binding has many steps, waits for about its
     * rise */
    double latency = vdi__draw(r, p->latency) * c->rise[0] * c->rise[0] / (c->rise[0] + 0.03);
    latency = VDI__MIN(latency, p->latency_most);
    c->delay -= vdi__draw_if(r, p->latency_share, latency, 0);
}

VDI__FN void vdi__draw_noise(const vdi_population_desc *p, vdi_rng *r, vdi_cell *c) {
    c->by_power = vdi_rng_bernoulli(r, p->power_share);
    const double by_power = vdi__draw_log(r, p->power_snr), by_peak = vdi__draw_log(r, p->peak_snr);
    c->snr = c->by_power ? by_power : by_peak;
    c->shot = vdi__draw(r, p->shot);
    c->shot = vdi__draw_if(r, p->shot_share, c->shot, 0);
    for (int i = 0; i < VDI_CELL_DRIFTS; i++) {
        c->drift_tau[i] = vdi__draw_log(r, p->drift_tau[i]);
        c->drift_sd[i] = vdi__draw(r, p->drift_sd[i]);
        c->drift_sd[i] = vdi__draw_if(r, p->drift_share[i], c->drift_sd[i], 0);
    }
    c->bleach_tau = vdi__draw(r, p->bleach_tau);
    c->bleach = vdi__draw(r, p->bleach);
    c->bleach = vdi__draw_if(r, p->bleach_share, c->bleach, 0);
}

VDI__FN void vdi__draw_artefacts(const vdi_population_desc *p, vdi_rng *r, vdi_cell *c) {
    c->wave_rate = vdi__draw_log(r, p->wave_rate);
    c->wave_sd = vdi__draw_log(r, p->wave_sd);
    c->wave_sd = vdi__draw_if(r, p->wave_share, c->wave_sd, 0);
    c->outlier_onset = vdi__draw_log(r, p->outlier_onset);
    c->outlier_onset = vdi__draw_if(r, p->outlier_share, c->outlier_onset, 0);
    c->outlier = vdi__draw_log(r, p->outlier);
    c->dip_onset = vdi__draw_log(r, p->dip_onset);
    c->dip_onset = vdi__draw_if(r, p->dip_share, c->dip_onset, 0);
    c->dip_length = vdi__draw_log(r, p->dip_length);
    c->dip = vdi__draw_log(r, p->dip);
    c->surge_tau = vdi__draw_log(r, p->surge_tau);
    c->surge_sd = vdi__draw_log(r, p->surge_sd);
    c->surge_sd = vdi__draw_if(r, p->surge_share, c->surge_sd, 0);
    c->clip = vdi__draw(r, p->clip);
    c->clip = vdi__draw_if(r, p->clip_share, c->clip, 0);
    c->smooth = vdi__draw(r, p->smooth);
    c->smooth = vdi__draw_if(r, p->smooth_share, c->smooth, 0);
}

VDI__DEF int64_t vdi_population_draw(const vdi_population_desc *p, uint64_t seed, uint64_t index,
                                     vdi_cell *c) {
    vdi_rng own = vdi_rng_make(seed, index), *r = &own;
    memset(c, 0, sizeof *c);
    if (vdi_population_desc_check(p, NULL) < 0) return -1;
    vdi__draw_firing(p, r, c);
    const double peak = vdi__draw_kind(p, r, c);
    vdi__draw_dye(p, r, c);
    vdi__draw_microscope(p, r, c);
    vdi__draw_noise(p, r, c);
    c->snr *= peak;
    vdi__draw_artefacts(p, r, c);
    c->seconds = vdi__draw_log(r, p->seconds);
    c->warmup = p->warmup;
    c->frames = VDI__MAX((int64_t)floor(c->seconds * c->frame_rate), (int64_t)4);
    c->rng = own;
    return c->frames;
}
#endif
