/* tests/score.c - quadrature rules and the measures, against numbers worked out another way */
#include "check.h"

TEST(score, gauss_hermite) {
    static double x[VDI_GAUSS_HERMITE_MAX], w[VDI_GAUSS_HERMITE_MAX];
    vdi_error err = {0};
    for (int n = 1; n <= VDI_GAUSS_HERMITE_MAX; n = n < 12 ? n + 1 : n + 29) {
        CHECK_OK(vdi_gauss_hermite(n, x, w, &err), err);
        double factor = 1; /* E x^2k = (2k-1)!! */
        for (int k = 0; k <= n - 1 && k <= 30; k++) {
            double sum = 0, odd = 0;
            for (int i = 0; i < n; i++) {
                sum += w[i] * pow(x[i] * x[i], k);
                odd += w[i] * pow(x[i], 2 * k + 1);
            }
            if (k > 0) factor *= 2 * k - 1;
            CHECK(fabs(sum - factor) <= 2e-13 * factor, "n %d, moment %d: %.17g, expected %.17g", n,
                  2 * k, sum, factor);
            CHECK(odd == 0 || fabs(odd) < 1e-14 * factor * n * fabs(x[n - 1] + 1),
                  "n %d: odd moment %d is %g", n, 2 * k + 1, odd);
        }
        for (int i = 1; i < n; i++)
            CHECK(x[i] > x[i - 1] && w[i] > 0, "node %d of %d", i, n);
    }
    CHECK_OK(vdi_gauss_hermite(3, x, w, &err), err);
    CHECK_CLOSE(x[2], sqrt(3.0), 1e-15);
    CHECK_CLOSE(w[0], 1.0 / 6, 1e-15);
    CHECK_FAILS(vdi_gauss_hermite(0, x, w, &err), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_gauss_hermite(VDI_GAUSS_HERMITE_MAX + 1, x, w, &err), VDI_ERR_ARGUMENT);
    /* products: E exp(a'e) = exp(|a|^2 / 2) */
    for (int d = 1; d <= 4; d++) {
        static double X[4096 * 4], W[4096];
        double sum = 0, weight = 0, square = 0;
        CHECK_OK(vdi_gauss_hermite_product(8, d, X, W, &err), err);
        for (int i = 0; i < (int)pow(8, d); i++) {
            double s = 0;
            for (int k = 0; k < d; k++)
                s += (k % 2 ? -0.3 : 0.4) * X[i * d + k];
            sum += W[i] * exp(s);
            weight += W[i];
        }
        for (int k = 0; k < d; k++)
            square += k % 2 ? 0.09 : 0.16;
        CHECK_CLOSE(weight, 1, 1e-13);
        CHECK_CLOSE(sum, exp(square / 2), 1e-9);
    }
    CHECK_FAILS(vdi_gauss_hermite_product(128, 4, x, w, &err), VDI_ERR_ARGUMENT);
}

/* log E Poisson by the trapezoid rule on a fine grid, which converges faster than any power for
 * such integrands */
static double lognormal_poisson(double y, double mean, double variance) {
    double sum = 0, s = sqrt(variance);
    for (int i = -4000; i <= 4000; i++) {
        double e = i * 0.0025, eta = mean + s * e;
        sum += 0.0025 * exp(-0.5 * e * e - 0.5 * VDI_LOG_2PI + y * eta - exp(eta) - lgamma(y + 1));
    }
    return log(sum);
}

TEST(score, poisson_lognormal) {
    static double x[VDI_GAUSS_HERMITE_MAX], w[VDI_GAUSS_HERMITE_MAX], y[67], mean[67], variance[67],
        out[67];
    unsigned long long seed = 3;
    vdi_error err = {0};
    CHECK_OK(vdi_gauss_hermite(64, x, w, &err), err);
    for (int i = 0; i < 67; i++) {
        y[i] = floor(6 * test_uniform(&seed));
        mean[i] = 3 * test_uniform(&seed) - 2;
        variance[i] = i % 5 ? 0.8 * test_uniform(&seed) : 0;
        if (i % 11 == 3) y[i] = NAN;
    }
    y[0] = 0;
    mean[0] = -800;
    variance[0] = 0.1; /* a rate of nothing, and the count that goes with it */
    vdi_poisson_lognormal(67, y, mean, variance, 64, x, w, out);
    for (int i = 0; i < 67; i++) {
        if (y[i] != y[i])
            CHECK(out[i] != out[i], "value %d is %g, its count is missing", i, out[i]);
        else
            CHECK_CLOSE(out[i], i ? lognormal_poisson(y[i], mean[i], variance[i]) : 0, 1e-8);
    }
}

TEST(score, bits_per_spike) {
    /* three neurons, four bins; the second neuron is silent in training, one count and one whole
     * bin are missing */
    const double y[12] = {1, 0, 2, 0, 1, 0, NAN, 0, 1, NAN, NAN, NAN};
    const double train[6] = {1, 0, 1, 0, 0, 2};
    const double rate[12] = {0.8, 0, 1.5, 0.2, 0.5, 0.3, 0.1, 0.2, 0.9, 1, 1, 1};
    double means[3], log_p[12], total = 0, null = 0, co_null = 0;
    int64_t bins;
    vdi_score_bits s;
    vdi_error err = {0};
    vdi_score_means(2, 3, train, means);
    CHECK(means[0] == 0.5 && means[1] == 0 && means[2] == 1.5, "%g %g %g", means[0], means[1],
          means[2]);
    const double own[3] = {0.5, 1.0 / 3, 1};
    for (int i = 0; i < 12; i++) {
        if (y[i] != y[i]) continue;
        double r = fmax(rate[i], 1e-9), m = fmax(means[i % 3], 1e-9), e = own[i % 3];
        total += y[i] * log(r) - r - lgamma(y[i] + 1);
        null += y[i] * log(m) - m - lgamma(y[i] + 1);
        co_null += y[i] * log(e) - e - lgamma(y[i] + 1);
    }
    CHECK_CLOSE(vdi_score_poisson(12, y, rate, log_p), total, 1e-12);
    CHECK_CLOSE(vdi_score_homogeneous(4, 3, y, means, &bins), null, 1e-12);
    CHECK(bins == 3, "%d bins", (int)bins);
    CHECK_OK(vdi_score_bits_per_spike(4, 3, y, log_p, means, &s, &err), err);
    CHECK(s.spikes == 5 && s.values == 8 && s.bins == 3, "%g spikes, %d values, %d bins", s.spikes,
          (int)s.values, (int)s.bins);
    CHECK_CLOSE(s.bits_per_spike, (total - null) / (5 * log(2)), 1e-12);
    CHECK_OK(vdi_score_co_bps(4, 3, y, rate, &s, &err), err);
    CHECK_CLOSE(s.log_likelihood, total, 1e-12);
    CHECK_CLOSE(s.null_log_likelihood, co_null, 1e-12);
    CHECK_CLOSE(s.bits_per_spike, (total - co_null) / (5 * log(2)), 1e-12);
    /* the constant rate of the evaluation scores 0 there */
    double constant[12];
    for (int i = 0; i < 12; i++)
        constant[i] = own[i % 3];
    CHECK_OK(vdi_score_co_bps(4, 3, y, constant, &s, &err), err);
    CHECK_CLOSE(s.bits_per_spike, 0, 1e-14);
    /* undefined */
    const double silent[3] = {0, 0, NAN}, negative[12] = {-1};
    CHECK_FAILS(vdi_score_bits_per_spike(1, 3, silent, log_p, means, &s, &err), VDI_ERR_DATA);
    CHECK_FAILS(vdi_score_co_bps(1, 3, silent, rate, &s, &err), VDI_ERR_DATA);
    CHECK_FAILS(vdi_score_co_bps(4, 3, y, negative, &s, &err), VDI_ERR_DATA);
    log_p[0] = NAN;
    CHECK_FAILS(vdi_score_bits_per_spike(4, 3, y, log_p, means, &s, &err), VDI_ERR_DATA);
    CHECK_CLOSE(vdi_score_mse(3, y, rate), (0.04 + 0 + 0.25) / 3, 1e-15);
    CHECK_CLOSE(vdi_score_mse(2, y + 6, rate + 6), 0.04, 1e-15);
}

TEST(score, r2) {
    enum { R = 200 };
    static double truth[R * 3], x[R * 2], estimate[R * 3];
    double column[3], r2, work[64];
    unsigned long long seed = 5;
    vdi_error err = {0};
    for (int r = 0; r < R; r++) {
        for (int k = 0; k < 2; k++)
            x[r * 2 + k] = 1e3 + test_normal(&seed);
        truth[r * 3] = 2 * x[r * 2] - x[r * 2 + 1] + 7;
        truth[r * 3 + 1] = 3 * x[r * 2 + 1] + 0.5 * test_normal(&seed);
        truth[r * 3 + 2] = -4;
        for (int k = 0; k < 3; k++)
            estimate[r * 3 + k] = truth[r * 3 + k] + 0.1 * test_normal(&seed);
    }
    truth[31] = NAN; /* row 10, column 1 */
    double error = 0, spread = 0, want[2];
    for (int k = 0; k < 2; k++) {
        double mean = 0;
        double e = 0;
        double s = 0;
        double count = 0;
        for (int r = 0; r < R; r++) {
            if (truth[r * 3 + k] == truth[r * 3 + k]) {
                mean += truth[r * 3 + k];
                count++;
            }
        }
        for (int r = 0; r < R; r++) {
            if (truth[r * 3 + k] == truth[r * 3 + k]) {
                e += pow(truth[r * 3 + k] - estimate[r * 3 + k], 2);
                s += pow(truth[r * 3 + k] - mean / count, 2);
            }
        }
        error += e;
        spread += s;
        want[k] = 1 - e / s;
    }
    for (int r = 0; r < R; r++)
        error += pow(truth[r * 3 + 2] - estimate[r * 3 + 2], 2);
    CHECK_OK(vdi_score_r2(R, 3, truth, estimate, column, &r2, &err), err);
    CHECK_CLOSE(r2, 1 - error / spread, 1e-9);
    CHECK_CLOSE(column[0], want[0], 1e-9);
    CHECK_CLOSE(column[1], want[1], 1e-9);
    CHECK(column[2] != column[2], "a constant column has R2 %g", column[2]);
    CHECK(vdi_score_linear_r2_work(2, 3) <= 64, "work");
    CHECK_OK(vdi_score_linear_r2(R, 2, x, 3, truth, 150, work, column, &r2, &err), err);
    CHECK_CLOSE(column[0], 1, 1e-9); /* an exact affine map is found, in spite of the large mean */
    CHECK(column[1] > 0.94 && column[1] < 0.999, "%g", column[1]);
}

/* Judged on what it was not fitted to: noise has R2 below 0 there. */
TEST(score, r2_of_noise) {
    enum { R = 200 };
    static double truth[R], x[R * 2], estimate[R];
    double r2, work[64];
    unsigned long long seed = 5;
    vdi_error err = {0};
    for (int r = 0; r < R; r++) {
        for (int k = 0; k < 2; k++)
            x[r * 2 + k] = 1e3 + test_normal(&seed);
        estimate[r] = test_normal(&seed);
    }
    double fitted;
    CHECK_OK(vdi_score_linear_r2(R, 2, x, 1, estimate, R, work, NULL, &fitted, &err), err);
    for (int r = 0; r < R; r++)
        estimate[r] = test_normal(&seed);
    CHECK_OK(vdi_score_linear_r2(R, 2, x, 1, estimate, 20, work, NULL, &r2, &err), err);
    CHECK(r2 < 0.02, "R2 of noise on new rows is %g", r2);
    for (int r = 0; r < R; r++)
        x[r * 2] = x[r * 2 + 1];
    CHECK_FAILS(vdi_score_linear_r2(R, 2, x, 1, estimate, R, work, NULL, &r2, &err), VDI_ERR_DATA);
    CHECK_FAILS(vdi_score_linear_r2(R, 2, x, 1, estimate, 0, work, NULL, &r2, &err),
                VDI_ERR_ARGUMENT);
    for (int r = 0; r < R; r++)
        truth[r] = 1;
    CHECK_FAILS(vdi_score_r2(R, 1, truth, estimate, NULL, &r2, &err), VDI_ERR_DATA);
}

TEST(score, bits_against_another_model) {
    const double y[6] = {1, 0, NAN, 2, 0, 1};
    const double log_p[6] = {-0.5, -0.1, 7, -1, -0.2, -0.4};
    const double null_log_p[6] = {-1, -0.3, 7, -2, -0.3, -1.1};
    vdi_score_bits s;
    vdi_error err = {0};
    CHECK_OK(vdi_score_bits_against(3, 2, y, log_p, null_log_p, &s, &err), err);
    CHECK_CLOSE(s.log_likelihood, -2.2, 1e-15);
    CHECK_CLOSE(s.null_log_likelihood, -4.7, 1e-15);
    CHECK_CLOSE(s.bits_per_spike, 2.5 / (4 * log(2)), 1e-15);
    CHECK(s.spikes == 4 && s.values == 5 && s.bins == 3, "%g spikes, %d values, %d bins", s.spikes,
          (int)s.values, (int)s.bins);
    const double silent[6] = {0, 0, 0, 0, 0, 0};
    CHECK(vdi_score_bits_against(3, 2, silent, log_p, null_log_p, &s, &err) < 0 ||
              !isfinite(s.bits_per_spike),
          "bits per spike where there is none: %g", s.bits_per_spike);
}
