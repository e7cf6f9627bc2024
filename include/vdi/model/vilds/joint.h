/* model/vilds/joint.h - a user's log joint: its arguments and its result
 *
 * Do this, in a log joint:
 *     vdi_var inside = vdi_trial_mask(t, info);            (B,T,1): 1 for the bins of each trial
 *     vdi_var log_s = vdi_trial_param(t, info, 1);         the user's parameter number 1
 *     vdi_var seen = vdi_var_mul(t, log_p_of_y, mask);     which channels of a bin were observed
 *     vdi_var moved = vdi_var_mul(t, log_p_of_z, inside);  which transitions there are
 *
 * Everything that reaches a log joint is float64: z, y, mask, parameters, these two, and numbers
 * that become constants (vdi_tape_scalar). `mask` is about single values: a bin whose values are
 * all missing still has a latent, and transitions into and out of it. Only vdi_trial_mask says
 * where a trial ends.
 * Errors: a log joint of another shape or dtype, or one that is not finite, is the tape's error; it
 * names the trial, the sample and the bin.
 */
#ifndef VDI_MODEL_VILDS_JOINT_H
#define VDI_MODEL_VILDS_JOINT_H
#include "batch.h"

/** (B,T,1) float64: 1 for the bins that count, 0 behind each trial's end. */
VDI_API vdi_var vdi_trial_mask(vdi_tape *t, const vdi_trial_info *info);
/** The user's parameter i as float64; the gradient goes to it. */
VDI_API vdi_var vdi_trial_param(vdi_tape *t, const vdi_trial_info *info, int64_t i);

#endif /* VDI_MODEL_VILDS_JOINT_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && !defined(VDI_MODEL_VILDS_JOINT_C)
#define VDI_MODEL_VILDS_JOINT_C

/* ======== what it is handed =================================================================== */

VDI__DEF vdi_var vdi_trial_mask(vdi_tape *t, const vdi_trial_info *info) {
    const int64_t B = info->trials, T = info->T;
    double *in = (double *)vdi__tape_payload(t, "vdi_trial_mask", (size_t)(B * T) * sizeof *in);
    if (!in) return vdi_var_none();
    for (int64_t i = 0; i < B * T; i++)
        in[i] = i % T < info->length[i / T];
    return vdi_tape_constant(t, vdi_tensor_3d(in, VDI_F64, B, T, 1));
}

VDI__DEF vdi_var vdi_trial_param(vdi_tape *t, const vdi_trial_info *info, int64_t i) {
    return vdi_var_cast(t, vdi_tape_param(t, &info->params[i]), VDI_F64);
}

/* y and mask with padding, as a batch keeps them for the log joint. */
VDI__FN vdi_status vdi__joint_open(vdi_vilds *m, vdi__vilds_batch *b, vdi_error *err) {
    const int64_t T = b->info.T, n = m->desc.n;
    const vdi_dtype dtype = m->desc.dtype;
    const size_t values = (size_t)(b->info.trials * T * n);
    b->joint_y = (double *)vdi_arena_calloc(&m->arena, 2 * values * sizeof(double));
    if (!b->joint_y) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_vilds", "no memory");
    b->joint_mask = b->joint_y + values;
    for (int64_t i = 0; i < b->info.trials; i++) {
        for (int64_t c = 0; c < b->info.length[i] * n; c++) {
            const int64_t from = b->rows.first[i] * n + c, to = i * T * n + c;
            b->joint_y[to] = vdi_dtype_load(dtype, b->y.data, from);
            b->joint_mask[to] =
                vdi_tensor_ok(b->mask) ? vdi_dtype_load(dtype, b->mask.data, from) : 1;
        }
    }
    return VDI_OK;
}

/* ======== what it gives back ================================================================== */

VDI__FN vdi_var vdi__joint_call(vdi_vilds *m, const vdi__vilds_batch *b, vdi_var z,
                                int64_t samples) {
    const int64_t B = b->info.trials, T = b->info.T, n = m->desc.n;
    char text[VDI_SHAPE_TEXT];
    vdi_tape *t = m->tape;
    vdi_trial_info info = b->info;
    info.samples = samples;
    vdi_var y = vdi_tape_constant(t, vdi_tensor_3d(b->joint_y, VDI_F64, B, T, n));
    vdi_var mask = vdi_tape_constant(t, vdi_tensor_3d(b->joint_mask, VDI_F64, B, T, n));
    vdi_var joint = m->desc.log_joint(t, z, y, mask, &info, m->desc.user);
    if (vdi_tape_status(t, NULL) < 0) return joint;
    if (vdi_var_ndim(t, joint) == 2 && vdi_var_dim(t, joint, 0) == samples &&
        vdi_var_dim(t, joint, 1) == B && vdi_tape_value(t, joint).dtype == VDI_F64)
        return joint;
    if (!vdi_var_ok(joint) || vdi_var_ndim(t, joint) < 0) {
        return vdi_tape_fail(t, VDI_ERR_SHAPE, "vdi_vilds",
                             "log_joint has to return (samples, trials) of float64, here "
                             "(%lld,%lld); the null variable came",
                             (long long)samples, (long long)B);
    }
    const vdi_tensor came = vdi_tape_value(t, joint);
    return vdi_tape_fail(t, VDI_ERR_SHAPE, "vdi_vilds",
                         "log_joint has to return (samples, trials) of float64, here (%lld,%lld); "
                         "%s of %s came",
                         (long long)samples, (long long)B,
                         came.ndim == 0 ? "a scalar" : vdi_tensor_shape_text(came, text),
                         vdi__dtype_names[came.dtype == VDI_F64]);
}

/* The first bin of sample s, trial i at which the slope of the log joint is not finite; -1 where it
 * is at all. z (S,B,T,d) are the samples. */
VDI__FN int64_t vdi__joint_bad_bin(vdi_vilds *m, const vdi__vilds_batch *b, vdi_tensor z,
                                   int64_t item) {
    const int64_t numbers = b->info.T * m->desc.d;
    const bool old = vdi_tape_set_no_grad(m->tape, false);
    const bool frozen = vdi_tape_set_frozen(m->tape, true);
    int64_t bad = -1;
    vdi_var v = vdi_tape_variable(m->tape, z);
    vdi_var joint = vdi__joint_call(m, b, v, z.shape[0]);
    if (vdi_tape_backward(m->tape, vdi_var_sum(m->tape, joint)) >= 0) {
        const double *g = (const double *)vdi_tape_grad(m->tape, v).data;
        for (int64_t k = 0; g && bad < 0 && k < numbers; k++) {
            if (!vdi__is_finite(g[item * numbers + k])) bad = k / m->desc.d;
        }
    }
    (void)vdi_tape_set_no_grad(m->tape, old);
    (void)vdi_tape_set_frozen(m->tape, frozen);
    return bad;
}

/* log p(y,z) of samples z (S,B,T,d): (S,B). One that is not finite is an error. */
VDI__FN vdi_var vdi__vilds_joint(vdi_vilds *m, const vdi__vilds_batch *b, vdi_var z,
                                 int64_t samples) {
    const int64_t B = b->info.trials;
    vdi_tape *t = m->tape;
    vdi_var joint = vdi__joint_call(m, b, z, samples);
    if (vdi_tape_status(t, NULL) < 0) return joint;
    const double *value = (const double *)vdi_tape_value(t, joint).data;
    int64_t item = 0;
    while (item < samples * B && vdi__is_finite(value[item]))
        item++;
    if (item == samples * B) return joint;
    const double what = value[item];
    const vdi_tensor at = vdi_tape_value(t, z);
    const double *point = (const double *)at.data + item * b->info.T * m->desc.d;
    const int64_t bin = vdi__joint_bad_bin(m, b, at, item);
    const long long sample = (long long)(item / B), trial = (long long)b->info.trial[item % B];
    if (bin < 0) {
        return vdi_tape_fail(t, VDI_ERR_NUMERIC, "vdi_vilds",
                             "log_joint is %g at sample %lld of trial %lld", what, sample, trial);
    }
    return vdi_tape_fail(t, VDI_ERR_NUMERIC, "vdi_vilds",
                         "log_joint is %g at sample %lld of trial %lld, first at bin %lld, where z "
                         "begins with %g",
                         what, sample, trial, (long long)bin, point[bin * m->desc.d]);
}

/* A bound above any density that values of this spread can have in double precision, with 53 bits
 * each, is one of a log joint with a wrong sign or scale; said once. */
VDI__FN void vdi__joint_doubt(vdi_vilds *m, const char *where, double per_bin) {
    double most = 0;
    if (!m->desc.log_joint || m->doubted) return;
    for (int64_t j = 0; j < m->desc.n; j++)
        most += 36.8 - log(m->sd[j]);
    if (!(per_bin > most)) return;
    m->doubted = true;
    vdi_log_message(&m->desc.logger, VDI_LOG_WARNING, where,
                    "the bound is %g nats per bin, above any density that such data can have "
                    "(%.3g): does the log joint have a wrong sign?",
                    per_bin, most);
}
#endif
