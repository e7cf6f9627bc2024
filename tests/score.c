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
    CHECK(s.spikes == 5 && s.values == 8 && s.bins == 3, "%g spikes, %d values, %d bins", s.spikes,
          (int)s.values, (int)s.bins);
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
    CHECK(vdi_score_linear_r2_work(2, 3) == 25);
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

/* ---- latents --------------------------------------------------------------------------------- */

enum { ROWS = 400, D = 3, N = 2 };

static void draw_latents(double *x, unsigned long long seed) {
    for (int i = 0; i < ROWS * D; i++)
        x[i] = test_normal(&seed) * (1 + i % D) + 5;
}

/* A turned, mirrored, scaled and moved copy is found back; noise takes its share. */
TEST(score, procrustes) {
    static double x[ROWS * D], y[ROWS * D], aligned[ROWS * D];
    const double G[D][D] = {{0.6, 0.8, 0}, {0.8, -0.6, 0}, {0, 0, 1}};
    double turn[D * D], r2, *work = (double *)malloc(vdi_score_latents_work(D, N) * sizeof *work);
    unsigned long long seed = 4;
    vdi_error err = {0};
    draw_latents(x, 3);
    for (int r = 0; r < ROWS; r++) {
        for (int j = 0; j < D; j++) {
            y[r * D + j] = 7 - j;
            for (int i = 0; i < D; i++)
                y[r * D + j] += 2.5 * x[r * D + i] * G[i][j];
        }
    }
    x[4] = NAN; /* the second row is left out */
    CHECK_OK(vdi_score_procrustes(ROWS, D, x, y, work, turn, aligned, &r2, &err), err);
    CHECK_CLOSE(r2, 1, 1e-12);
    for (int i = 0; i < D * D; i++)
        CHECK_CLOSE(turn[i], G[i / D][i % D], 1e-12);
    for (int i = 2 * D; i < ROWS * D; i++)
        CHECK_CLOSE(aligned[i], y[i], 1e-10);
    double error = 0, spread = 0, mean[D] = {0};
    for (int i = 0; i < ROWS * D; i++)
        y[i] += 4 * test_normal(&seed);
    CHECK_OK(vdi_score_procrustes(ROWS, D, x, y, work, NULL, aligned, &r2, &err), err);
    for (int i = 0; i < ROWS * D; i++)
        if (i / D != 1) mean[i % D] += y[i] / (ROWS - 1);
    for (int i = 0; i < ROWS * D; i++) {
        if (i / D == 1) continue;
        error += (y[i] - aligned[i]) * (y[i] - aligned[i]);
        spread += (y[i] - mean[i % D]) * (y[i] - mean[i % D]);
    }
    CHECK(r2 > 0.3 && r2 < 0.95, "r2 %g", r2);
    CHECK_CLOSE(r2, 1 - error / spread, 1e-12);
    memset(y, 0, sizeof y);
    CHECK_FAILS(vdi_score_procrustes(ROWS, D, x, y, work, NULL, NULL, &r2, &err), VDI_ERR_DATA);
    free(work);
}

/* Of y = z1 + noise, and of a latent that repeats another. */
TEST(score, shared_variance) {
    static double x[ROWS * D], y[ROWS * N];
    double per[D], shared, r2, column[N];
    double *work = (double *)malloc(vdi_score_latents_work(D, N) * sizeof *work);
    double *other = (double *)malloc(vdi_score_linear_r2_work(D, N) * sizeof *other);
    unsigned long long seed = 5;
    vdi_error err = {0};
    draw_latents(x, 6);
    for (int r = 0; r < ROWS; r++) {
        y[r * N] = x[r * D] + 0.5 * x[r * D + 2] + 0.5 * test_normal(&seed);
        y[r * N + 1] = 3 * x[r * D + 1] + test_normal(&seed);
    }
    CHECK_OK(vdi_score_shared_variance(ROWS, D, x, N, y, work, per, &shared, &err), err);
    CHECK_OK(vdi_score_linear_r2(ROWS, D, x, N, y, ROWS, other, column, &r2, &err), err);
    CHECK_CLOSE(shared, r2, 1e-12);
    CHECK_CLOSE(per[0] + per[1] + per[2], shared, 1e-12);
    CHECK(per[1] > per[0] && per[0] > 0.01 && per[2] > 0.01, "%g %g %g", per[0], per[1], per[2]);
    for (int r = 0; r < ROWS; r++)
        x[r * D + 1] = 2 * x[r * D] + 1;
    CHECK_OK(vdi_score_shared_variance(ROWS, D, x, N, y, work, per, &shared, &err), err);
    CHECK(per[1] == 0, "a repeated latent adds %g", per[1]);
    memset(y, 0, sizeof y);
    CHECK_FAILS(vdi_score_shared_variance(ROWS, D, x, N, y, work, per, &shared, &err),
                VDI_ERR_DATA);
    free(work);
    free(other);
}

/* What the latents say is decoded from trials that were not seen; what they do not say is not. */
TEST(score, ridge) {
    static double x[ROWS * D], y[ROWS * N], decoded[ROWS * N];
    double r2, *work = (double *)malloc(vdi_score_latents_work(D, N) * sizeof *work);
    unsigned long long seed = 7;
    vdi_score_decode how = {0};
    vdi_error err = {0};
    draw_latents(x, 8);
    for (int r = 0; r < ROWS; r++) {
        y[r * N] = 2 * x[r * D] - x[r * D + 1] + 4;
        y[r * N + 1] = x[r * D + 2];
    }
    how.each = 20;
    CHECK_OK(vdi_score_ridge(&how, ROWS, D, x, N, y, work, decoded, &r2, &err), err);
    CHECK(r2 > 0.9999, "r2 %g", r2);
    /* a fold's own rows do not reach its map */
    const double before = decoded[0];
    for (int r = 0; r < 20; r++)
        y[r * N] += 1000;
    CHECK_OK(vdi_score_ridge(&how, ROWS, D, x, N, y, work, decoded, &r2, &err), err);
    CHECK(decoded[0] == before, "%g became %g", before, decoded[0]);
    for (int i = 0; i < ROWS * N; i++)
        y[i] = test_normal(&seed);
    CHECK_OK(vdi_score_ridge(&how, ROWS, D, x, N, y, work, decoded, &r2, &err), err);
    CHECK(r2 < 0.01, "noise is decoded with an R2 of %g", r2);
    how.each = ROWS;
    CHECK_FAILS(vdi_score_ridge(&how, ROWS, D, x, N, y, work, decoded, &r2, &err),
                VDI_ERR_ARGUMENT);
    free(work);
}

/* No size of a work space wraps around to a small one. */
TEST(score, sizes_that_no_memory_holds) {
    static const int64_t hostile[] = {-1, INT64_MIN, INT64_MAX, (int64_t)1 << 40};
    for (size_t i = 0; i < VDI__COUNT(hostile); i++) {
        const int64_t h = hostile[i];
        CHECK(vdi_score_linear_r2_work(h, 3) == SIZE_MAX, "%lld", (long long)h);
        CHECK(vdi_score_linear_r2_work(h, h) == SIZE_MAX, "%lld", (long long)h);
        CHECK(vdi_score_latents_work(h, 3) == SIZE_MAX, "%lld", (long long)h);
        CHECK(vdi_score_latents_work(h, h) == SIZE_MAX, "%lld", (long long)h);
    }
    const size_t large = SIZE_MAX / 2;
    CHECK(vdi_score_latents_work(2, 3) == 38);
    CHECK(vdi_svd_work(large, large) == SIZE_MAX && vdi_svd_work(5, 3) == 15);
    CHECK(vdi_svd_work(3, 5) == 9);
    CHECK(vdi_conv1d_grad_work(large, 3, 1) == SIZE_MAX && vdi_conv1d_grad_work(2, 3, 4) == 24);
    CHECK(vdi_gru_backward_work(large, 3, 1) == SIZE_MAX);
    CHECK(vdi_gru_backward_work(2, 3, 4) == 3 * 4 * 2 * 3 + 3 * 4 * 4 + 2 * 3 * 4);
}
