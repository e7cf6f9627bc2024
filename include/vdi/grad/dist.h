/* grad/dist.h - log densities with all their constants, divergences, and reparameterised samples
 *
 * Do this:
 *     vdi_var lp = vdi_var_poisson_log_prob(t, y, log_rate);   element by element, in nats
 *     vdi_var per_trial = vdi_var_sum_axis(t, vdi_var_sum_axis(t, lp, -1, false), -1, false);
 *
 * Element by element unless stated otherwise: terms that a caller might need separately are not
 * summed (importance weights, ragged trials). Everything broadcasts. Densities over counts include
 * log y!.
 */
#ifndef VDI_GRAD_DIST_H
#define VDI_GRAD_DIST_H
#include "reduce_ops.h"
#include "shape_ops.h"
#include "triangle_ops.h"

/** log N(x; mean, sd^2) from log sd: -1/2 ((x - mean)/sd)^2 - log sd - 1/2 log 2 pi. */
VDI_API vdi_var vdi_var_normal_log_prob(vdi_tape *t, vdi_var x, vdi_var mean, vdi_var log_sd);
/** log N(x; mean, L L') over the last axis: x, mean (..., n), L (..., n, n) lower with positive
 * diagonal, or (n,n) for all; result (...).
 */
VDI_API vdi_var vdi_var_mvn_log_prob(vdi_tape *t, vdi_var x, vdi_var mean, vdi_var L);
/** log Poisson(y; exp(log_rate)) = y log_rate - exp(log_rate) - log y!. */
VDI_API vdi_var vdi_var_poisson_log_prob(vdi_tape *t, vdi_var y, vdi_var log_rate);
/** The same with log y! given (the shape of y): for counts that are seen again and again, since log
 * Gamma is the dearest part. */
VDI_API vdi_var vdi_var_poisson_log_prob_given(vdi_tape *t, vdi_var y, vdi_var log_factorial,
                                               vdi_var log_rate);
/** log Bernoulli(y; sigmoid(logit)) = y logit - softplus(logit). */
VDI_API vdi_var vdi_var_bernoulli_log_prob(vdi_tape *t, vdi_var y, vdi_var logit);
/** Negative binomial with mean exp(log_mean) and shape r = exp(log_shape), variance mean + mean^2 /
 * r:
 *  log Gamma(y + r) - log Gamma(r) - log y! + r log(r / (r + mean)) + y log(mean / (r + mean)). */
VDI_API vdi_var vdi_var_negative_binomial_log_prob(vdi_tape *t, vdi_var y, vdi_var log_mean,
                                                   vdi_var log_shape);
/** Student's t with df = exp(log_df) degrees of freedom about `mean`, e = (x - mean) / scale:
 * log Gamma((df + 1)/2) - log Gamma(df/2) - log(df pi)/2 - log scale - (df + 1)/2 log(1 + e^2/df).
 */
VDI_API vdi_var vdi_var_student_t_log_prob(vdi_tape *t, vdi_var x, vdi_var mean, vdi_var log_scale,
                                           vdi_var log_df);
/** Laplace: -|x - mean| / scale - log scale - log 2. */
VDI_API vdi_var vdi_var_laplace_log_prob(vdi_tape *t, vdi_var x, vdi_var mean, vdi_var log_scale);
/** Gamma with shape a = exp(log_shape) and rate b = exp(log_rate), x > 0, mean a / b:
 * a log b - log Gamma(a) + (a - 1) log x - b x. */
VDI_API vdi_var vdi_var_gamma_log_prob(vdi_tape *t, vdi_var x, vdi_var log_shape, vdi_var log_rate);
/** Beta with a = exp(log_a), b = exp(log_b), 0 < x < 1, mean a / (a + b): log Gamma(a + b) - log
 * Gamma(a) - log Gamma(b) + (a - 1) log x + (b - 1) log(1 - x). */
VDI_API vdi_var vdi_var_beta_log_prob(vdi_tape *t, vdi_var x, vdi_var log_a, vdi_var log_b);
/** mean + exp(log_sd) eps: a sample with gradients to its parameters. */
VDI_API vdi_var vdi_var_normal_sample(vdi_tape *t, vdi_var mean, vdi_var log_sd, vdi_var eps);
/** a = tanh(u), u = mean + exp(log_sd) eps, with log p(a) summed over the last axis: sum log N(u) -
 * log(1 - tanh(u)^2), the last term
 *  as 2 (log 2 - u - softplus(-2u)), exact for every u. `log_prob` may be NULL. Haarnoja et al.
 *  2018, appendix C. */
VDI_API vdi_var vdi_var_tanh_normal_sample(vdi_tape *t, vdi_var mean, vdi_var log_sd, vdi_var eps,
                                           vdi_var *log_prob);
/** KL(N(mean1, sd1^2) | N(mean2, sd2^2)), element by element. */
VDI_API vdi_var vdi_var_normal_kl(vdi_tape *t, vdi_var mean1, vdi_var log_sd1, vdi_var mean2,
                                  vdi_var log_sd2);
/** KL(N(mean, sd^2) | N(0,1)), element by element. */
VDI_API vdi_var vdi_var_normal_kl_standard(vdi_tape *t, vdi_var mean, vdi_var log_sd);

#endif /* VDI_GRAD_DIST_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_DIST_C)
#define VDI_GRAD_DIST_C

VDI__DEF vdi_var vdi_var_normal_log_prob(vdi_tape *t, vdi_var x, vdi_var mean, vdi_var log_sd) {
    vdi_var e = vdi_var_mul(t, vdi_var_sub(t, x, mean), vdi_var_exp(t, vdi_var_neg(t, log_sd)));
    return vdi_var_sub(t, vdi_var_scale_shift(t, vdi_var_square(t, e), -0.5, -0.5 * VDI_LOG_2PI),
                       log_sd);
}

VDI__DEF vdi_var vdi_var_mvn_log_prob(vdi_tape *t, vdi_var x, vdi_var mean, vdi_var L) {
    vdi_var e = vdi_var_sub(t, x, mean);
    int ndim = vdi_var_ndim(t, e);
    double n = (double)vdi_var_dim(t, e, -1);
    vdi_var u = vdi_var_ndim(t, L) == 2 && ndim == 1
                    ? vdi_var_trsm(t, L, vdi_var_unsqueeze(t, e, -1), VDI_TRSM_LOWER)
                : vdi_var_ndim(t, L) == 2
                    ? vdi_var_trsm(t, L, e, VDI_TRSM_RIGHT | VDI_TRSM_TRANS) /* rows */
                    : vdi_var_trsm(t, L, vdi_var_unsqueeze(t, e, -1), VDI_TRSM_LOWER);
    if (vdi_var_ndim(t, u) > ndim) u = vdi_var_index(t, u, -1, 0);
    vdi_var logdet = vdi_var_sum_axis(t, vdi_var_log(t, vdi_var_diagonal(t, L)), -1, false);
    return vdi_var_sub(t,
                       vdi_var_scale_shift(t, vdi_var_sum_axis(t, vdi_var_square(t, u), -1, false),
                                           -0.5, -0.5 * n * VDI_LOG_2PI),
                       logdet);
}

VDI__DEF vdi_var vdi_var_poisson_log_prob_given(vdi_tape *t, vdi_var y, vdi_var log_factorial,
                                                vdi_var log_rate) {
    return vdi_var_sub(t, vdi_var_sub(t, vdi_var_mul(t, y, log_rate), vdi_var_exp(t, log_rate)),
                       log_factorial);
}

VDI__DEF vdi_var vdi_var_poisson_log_prob(vdi_tape *t, vdi_var y, vdi_var log_rate) {
    return vdi_var_poisson_log_prob_given(t, y, vdi_var_lgamma(t, vdi_var_add_scalar(t, y, 1)),
                                          log_rate);
}

VDI__DEF vdi_var vdi_var_bernoulli_log_prob(vdi_tape *t, vdi_var y, vdi_var logit) {
    return vdi_var_sub(t, vdi_var_mul(t, y, logit), vdi_var_softplus(t, logit));
}

VDI__DEF vdi_var vdi_var_negative_binomial_log_prob(vdi_tape *t, vdi_var y, vdi_var log_mean,
                                                    vdi_var log_shape) {
    vdi_var r = vdi_var_exp(t, log_shape), d = vdi_var_sub(t, log_mean, log_shape);
    vdi_var gammas = vdi_var_sub(t, vdi_var_lgamma(t, vdi_var_add(t, y, r)), vdi_var_lgamma(t, r));
    vdi_var weight = vdi_var_sub(t, gammas, vdi_var_lgamma(t, vdi_var_add_scalar(t, y, 1)));
    /* log(r/(r+mean)) = -softplus(d), log(mean/(r+mean)) = d - softplus(d) */
    vdi_var tail = vdi_var_sub(t, vdi_var_mul(t, y, d),
                               vdi_var_mul(t, vdi_var_add(t, y, r), vdi_var_softplus(t, d)));
    return vdi_var_add(t, weight, tail);
}

VDI__DEF vdi_var vdi_var_student_t_log_prob(vdi_tape *t, vdi_var x, vdi_var mean, vdi_var log_scale,
                                            vdi_var log_df) {
    const double log_pi = 1.14472988584940017414;
    vdi_var e = vdi_var_mul(t, vdi_var_sub(t, x, mean), vdi_var_exp(t, vdi_var_neg(t, log_scale)));
    vdi_var half = vdi_var_mul_scalar(t, vdi_var_exp(t, log_df), 0.5); /* df / 2 */
    vdi_var more = vdi_var_add_scalar(t, half, 0.5);
    vdi_var gammas = vdi_var_sub(t, vdi_var_lgamma(t, more), vdi_var_lgamma(t, half));
    vdi_var scale = vdi_var_add(t, log_scale, vdi_var_scale_shift(t, log_df, 0.5, 0.5 * log_pi));
    vdi_var ratio = vdi_var_mul(t, vdi_var_square(t, e), vdi_var_exp(t, vdi_var_neg(t, log_df)));
    vdi_var tail = vdi_var_mul(t, more, vdi_var_log1p(t, ratio));
    return vdi_var_sub(t, vdi_var_sub(t, gammas, scale), tail);
}

VDI__DEF vdi_var vdi_var_laplace_log_prob(vdi_tape *t, vdi_var x, vdi_var mean, vdi_var log_scale) {
    vdi_var e = vdi_var_mul(t, vdi_var_abs(t, vdi_var_sub(t, x, mean)),
                            vdi_var_exp(t, vdi_var_neg(t, log_scale)));
    return vdi_var_sub(t, vdi_var_scale_shift(t, e, -1, -0.69314718055994530942), log_scale);
}

VDI__DEF vdi_var vdi_var_gamma_log_prob(vdi_tape *t, vdi_var x, vdi_var log_shape,
                                        vdi_var log_rate) {
    vdi_var a = vdi_var_exp(t, log_shape);
    vdi_var whole = vdi_var_sub(t, vdi_var_mul(t, a, log_rate), vdi_var_lgamma(t, a));
    vdi_var power = vdi_var_mul(t, vdi_var_add_scalar(t, a, -1), vdi_var_log(t, x));
    return vdi_var_sub(t, vdi_var_add(t, whole, power),
                       vdi_var_mul(t, vdi_var_exp(t, log_rate), x));
}

VDI__DEF vdi_var vdi_var_beta_log_prob(vdi_tape *t, vdi_var x, vdi_var log_a, vdi_var log_b) {
    vdi_var a = vdi_var_exp(t, log_a), b = vdi_var_exp(t, log_b);
    vdi_var parts = vdi_var_add(t, vdi_var_lgamma(t, a), vdi_var_lgamma(t, b));
    vdi_var whole = vdi_var_sub(t, vdi_var_lgamma(t, vdi_var_add(t, a, b)), parts);
    vdi_var left = vdi_var_mul(t, vdi_var_add_scalar(t, a, -1), vdi_var_log(t, x));
    vdi_var right =
        vdi_var_mul(t, vdi_var_add_scalar(t, b, -1), vdi_var_log1p(t, vdi_var_neg(t, x)));
    return vdi_var_add(t, whole, vdi_var_add(t, left, right));
}

VDI__DEF vdi_var vdi_var_normal_sample(vdi_tape *t, vdi_var mean, vdi_var log_sd, vdi_var eps) {
    return vdi_var_add(t, mean, vdi_var_mul(t, vdi_var_exp(t, log_sd), eps));
}

VDI__DEF vdi_var vdi_var_tanh_normal_sample(vdi_tape *t, vdi_var mean, vdi_var log_sd, vdi_var eps,
                                            vdi_var *log_prob) {
    vdi_var u = vdi_var_normal_sample(t, mean, log_sd, eps);
    if (log_prob) {
        /* log N(u) = -eps^2/2 - log sd - log(2 pi)/2, and -log(1 - tanh^2) = 2 u - 2 log 2 + 2
         * softplus(-2u) */
        double constant = -0.5 * VDI_LOG_2PI - 2 * 0.69314718055994530942;
        vdi_var base =
            vdi_var_sub(t, vdi_var_scale_shift(t, vdi_var_square(t, eps), -0.5, constant), log_sd);
        vdi_var fold = vdi_var_add(t, u, vdi_var_softplus(t, vdi_var_mul_scalar(t, u, -2)));
        *log_prob =
            vdi_var_sum_axis(t, vdi_var_add(t, base, vdi_var_mul_scalar(t, fold, 2)), -1, false);
    }
    return vdi_var_tanh(t, u);
}

VDI__DEF vdi_var vdi_var_normal_kl(vdi_tape *t, vdi_var mean1, vdi_var log_sd1, vdi_var mean2,
                                   vdi_var log_sd2) {
    vdi_var d = vdi_var_sub(t, log_sd1, log_sd2);
    vdi_var e =
        vdi_var_mul(t, vdi_var_sub(t, mean1, mean2), vdi_var_exp(t, vdi_var_neg(t, log_sd2)));
    vdi_var squares =
        vdi_var_add(t, vdi_var_exp(t, vdi_var_mul_scalar(t, d, 2)), vdi_var_square(t, e));
    return vdi_var_sub(t, vdi_var_scale_shift(t, squares, 0.5, -0.5), d);
}

VDI__DEF vdi_var vdi_var_normal_kl_standard(vdi_tape *t, vdi_var mean, vdi_var log_sd) {
    vdi_var squares =
        vdi_var_add(t, vdi_var_exp(t, vdi_var_mul_scalar(t, log_sd, 2)), vdi_var_square(t, mean));
    return vdi_var_sub(t, vdi_var_scale_shift(t, squares, 0.5, -0.5), log_sd);
}
#endif
