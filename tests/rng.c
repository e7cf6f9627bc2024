/* core/rng: frozen words, positions, and the distributions
 *
 * The statistical tests use fixed seeds, so they give the same verdict at each run. Bounds are 5
 * sigma for moments, z < 5 (by Wilson and Hilferty) for chi-square, and sqrt(n) D < 2.1 (a chance
 * of 3 in 10,000) for Kolmogorov and Smirnov.
 */
#include "check.h"

static bool same(const void *a, const void *b, size_t size) { return memcmp(a, b, size) == 0; }

TEST(rng, frozen_words) {
    /* the known answers of Random123 (Salmon and others 2011) */
    static const uint32_t known[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u},
        {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x408f276du,
         0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu},
        {0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u,
         0x94fdccebu, 0x5001e420u, 0x24126ea1u}};
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        vdi_rng_philox(known[i], known[i] + 4, out);
        CHECK(same(out, known[i] + 6, sizeof out), "row %d: %08x %08x %08x %08x", i, out[0], out[1],
              out[2], out[3]);
    }
}

/* What follows was made by another program, from the paper. */
TEST(rng, frozen_streams) {
    static const uint32_t words[12] = {0xaef2adf7u, 0xf69b5950u, 0x3ceb44f4u, 0x89b6573au,
                                       0xec2ab39fu, 0x4671fd85u, 0x74decae0u, 0x4b77ec76u,
                                       0xd7bb4a2fu, 0xb8f76c27u, 0x51cdda28u, 0x48cc01cdu};
    static const uint32_t last[4] = {0x18a86018u, 0x11cd6d66u, 0xe208b298u, 0x75c8b351u};
    vdi_rng r = vdi_rng_make(UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210));
    for (int i = 0; i < 12; i++) {
        uint32_t x = vdi_rng_u32(&r);
        CHECK(x == words[i], "word %d is %08x", i, x);
    }
    vdi_rng_seek(&r, UINT64_MAX); /* the last block, then the first again */
    for (int i = 0; i < 16; i++) {
        uint32_t x = vdi_rng_u32(&r);
        CHECK(x == (i < 4 ? last[i] : words[i - 4]), "word %d from the end is %08x", i, x);
    }
    static const uint64_t pairs[5] = {UINT64_C(0x6c7eca35e55410cc), UINT64_C(0xe5dde940557398d3),
                                      UINT64_C(0x8fcdf8f1600f6196), UINT64_C(0x24ecfc6e2c8ed839),
                                      UINT64_C(0x571a4cf0f000aacd)};
    r = vdi_rng_make(42, 7);
    (void)vdi_rng_u32(&r);
    for (int i = 0; i < 5; i++) {
        uint64_t x = vdi_rng_u64(&r);
        CHECK(x == pairs[i], "pair %d is %llx", i, (unsigned long long)x);
    }
    static const double uniforms[6] = {0.89581398954754266, 0.33379511987413502,
                                       0.37523469862013992, 0.17405463605228266,
                                       0.93751018055347746, 0.8242437740183074};
    r = vdi_rng_make(42, 7);
    for (int i = 0; i < 6; i++) {
        double x = vdi_rng_uniform(&r);
        CHECK(x == uniforms[i], "uniform %d is %.17g", i, x);
    }
    static const uint64_t below[10][2] = {
        {1, 0},
        {2, 0},
        {10, 8},
        {3000000000u, 1271428979},
        {UINT64_C(4294967296), 1433639123},
        {UINT64_C(4294967297), 1611620759},
        {UINT64_C(1000000000000000000), UINT64_C(174054636052282676)},
        {UINT64_C(9223372036854775809), UINT64_C(8647005183583616567)},
        {UINT64_MAX, UINT64_C(15204613953664208111)},
        {6, 3}};
    r = vdi_rng_make(42, 7);
    CHECK(vdi_rng_below(&r, 0) == 0);
    for (int i = 0; i < 10; i++) {
        uint64_t x = vdi_rng_below(&r, below[i][0]);
        CHECK(x == below[i][1], "below %d is %llu", i, (unsigned long long)x);
    }
    static const int64_t order[12] = {1, 9, 6, 0, 11, 5, 2, 3, 4, 8, 10, 7};
    int64_t permutation[12];
    r = vdi_rng_make(42, 7);
    vdi_rng_permutation(&r, 12, permutation);
    CHECK(same(permutation, order, sizeof order), "%lld %lld %lld ...", (long long)permutation[0],
          (long long)permutation[1], (long long)permutation[2]);
}

TEST(rng, positions) {
    vdi_rng r = vdi_rng_make(1, 2), s = vdi_rng_make(1, 2);
    for (uint64_t i = 0; i < 64; i++) { /* any block can be jumped to, and a copy goes on alone */
        uint32_t x = vdi_rng_u32(&r);
        if (i % 4 == 0) vdi_rng_seek(&s, i / 4);
        CHECK(vdi_rng_u32(&s) == x, "word %llu", (unsigned long long)i);
        vdi_rng copy = r;
        uint64_t ahead = vdi_rng_u64(&copy);
        vdi_rng again = r;
        CHECK(vdi_rng_u64(&again) == ahead, "copy at %llu", (unsigned long long)i);
    }
    vdi_rng a = vdi_rng_make(5, 0), b = vdi_rng_make(5, 1), c = vdi_rng_make(6, 0);
    int equal = 0;
    for (int i = 0; i < 100; i++) {
        uint32_t x = vdi_rng_u32(&a), y = vdi_rng_u32(&b), z = vdi_rng_u32(&c);
        equal += (x == y) + (y == z) + (x == z);
    }
    CHECK(equal == 0, "streams share %d words", equal);
}

TEST(rng, bulk_equals_single) {
    static double d[3001], one[3001];
    static float f[3001];
    for (int start = 0; start < 9; start++) {
        /* words taken before, so that blocks are entered everywhere */
        for (int n = 0; n <= 3000; n = n < 70 ? n + 1 : n * 3 / 2) {
            vdi_rng bulk = vdi_rng_make(99, (uint64_t)start), single = bulk, bulk32 = bulk;
            for (int i = 0; i < start; i++) {
                (void)vdi_rng_u32(&bulk);
                (void)vdi_rng_u32(&single);
                (void)vdi_rng_u32(&bulk32);
            }
            for (int kind = 0; kind < 2; kind++) {
                for (int i = 0; i < n; i++)
                    one[i] = kind ? vdi_rng_normal(&single) : vdi_rng_uniform(&single);
                if (kind) {
                    vdi_rng_fill_normal(&bulk, VDI_F64, n, d);
                    vdi_rng_fill_normal(&bulk32, VDI_F32, n, f);
                } else {
                    vdi_rng_fill_uniform(&bulk, VDI_F64, n, d);
                    vdi_rng_fill_uniform(&bulk32, VDI_F32, n, f);
                }
                CHECK(same(d, one, (size_t)n * sizeof *d),
                      "start %d, n %d, kind %d: float64 differs", start, n, kind);
                int wrong = 0;
                for (int i = 0; i < n; i++) {
                    wrong += f[i] != (kind ? (float)one[i]
                                           : (float)(floor(one[i] * 16777216.0) / 16777216.0));
                }
                CHECK(wrong == 0, "start %d, n %d, kind %d: %d float32 differ", start, n, kind,
                      wrong);
            }
            uint32_t next = vdi_rng_u32(&single);
            CHECK(vdi_rng_u32(&bulk) == next && vdi_rng_u32(&bulk32) == next,
                  "start %d, n %d: the positions differ after", start, n);
        }
    }
}

/* How many sigma a mean is off. */
static double sigmas(double sum, double n, double mean, double variance) {
    return (sum / n - mean) / sqrt(variance / n);
}

/* Chi-square of counts against expectations, as sigma of a normal (Wilson and Hilferty 1931); cells
 * below 10 are pooled. */
static double chi_square_z(int cells, const double *count, const double *expected) {
    double chi = 0, c = 0, e = 0;
    int used = 0;
    for (int i = 0; i < cells; i++) {
        c += count[i];
        e += expected[i];
        if (e < 10 && i + 1 < cells) continue;
        if (e > 0) {
            chi += (c - e) * (c - e) / e;
            used++;
        }
        c = e = 0;
    }
    double df = used - 1, v = 2 / (9 * df);
    return (cbrt(chi / df) - (1 - v)) / sqrt(v);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double ks(int n, double *x, double (*cdf)(double)) {
    double d = 0;
    qsort(x, (size_t)n, sizeof *x, by_value);
    for (int i = 0; i < n; i++) {
        double p = cdf(x[i]);
        d = fmax(d, fmax(p - (double)i / n, (double)(i + 1) / n - p));
    }
    return d * sqrt((double)n);
}
static double cdf_uniform(double x) { return x; }
static double cdf_normal(double x) { return 0.5 * erfc(-x * sqrt(0.5)); }
static double cdf_exponential(double x) { return -expm1(-x); }
static double cdf_gamma_half(double x) { return erf(sqrt(x)); }
static double cdf_gamma_3(double x) { return 1 - exp(-x) * (1 + x + x * x / 2); }

enum { N = 200000 };

TEST(rng, continuous) {
    static double x[N];
    static const struct {
        const char *name;
        double mean, variance, fourth; /* fourth: the variance of (x - mean)^2 */
        double (*cdf)(double);
    } rows[] = {{"uniform", 0.5, 1.0 / 12, 1.0 / 180, cdf_uniform},
                {"normal", 0, 1, 2, cdf_normal},
                {"exponential", 1, 1, 8, cdf_exponential},
                {"gamma(1/2)", 0.5, 0.5, 3.5, cdf_gamma_half},
                {"gamma(3)", 3, 3, 36, cdf_gamma_3},
                {"gamma(0.01)", 0.01, 0.01, 0.0602, NULL},
                {"gamma(50)", 50, 50, 5300, NULL}};
    static const double shape[] = {0, 0, 0, 0.5, 3, 0.01, 50};
    for (size_t k = 0; k < VDI__COUNT(rows); k++) {
        for (uint64_t seed = 0; seed < 2; seed++) {
            vdi_rng r = vdi_rng_make(2024 + seed, k);
            double sum = 0, square = 0;
            for (int i = 0; i < N; i++) {
                x[i] = k == 0   ? vdi_rng_uniform(&r)
                       : k == 1 ? vdi_rng_normal(&r)
                       : k == 2 ? vdi_rng_exponential(&r)
                                : vdi_rng_gamma(&r, shape[k]);
                sum += x[i];
                square += (x[i] - rows[k].mean) * (x[i] - rows[k].mean);
            }
            double z = sigmas(sum, N, rows[k].mean, rows[k].variance);
            double zz = sigmas(square, N, rows[k].variance, rows[k].fourth);
            CHECK(fabs(z) < 5 && fabs(zz) < 5, "%s: mean off by %.2f sigma, variance by %.2f",
                  rows[k].name, z, zz);
            if (!rows[k].cdf) continue;
            double d = ks(N, x, rows[k].cdf);
            CHECK(d < 2.1, "%s: sqrt(n) D = %.3f", rows[k].name, d);
        }
    }
    /* the tail of the normal, where the ziggurat changes its method, and independence of
     * neighbours */
    static double count[12], expected[12];
    vdi_rng r = vdi_rng_make(7, 0);
    double before = 0, products = 0;
    const double total = 4e6;
    for (long i = 0; i < 4000000; i++) {
        double y = vdi_rng_normal(&r), size = fabs(y);
        int cell = size < 2.9 ? 0 : size < 4.3 ? 1 + (int)((size - 2.9) / 0.2) : 8;
        count[cell]++;
        products += y * before;
        before = y;
    }
    for (int i = 0; i < 9; i++) {
        double low = i ? 2.9 + 0.2 * (i - 1) : 0, high = i == 8 ? 40 : 2.9 + 0.2 * i;
        expected[i] = total * (erfc(low * sqrt(0.5)) - erfc(high * sqrt(0.5)));
    }
    double z = chi_square_z(9, count, expected), zz = sigmas(products, total, 0, 1);
    CHECK(z < 5, "normal tail: z = %.2f", z);
    CHECK(fabs(zz) < 5, "neighbours: %.2f sigma", zz);
    CHECK(isnan(vdi_rng_gamma(&r, 0)) && isnan(vdi_rng_gamma(&r, -1)) &&
          isnan(vdi_rng_gamma(&r, NAN)) && isnan(vdi_rng_gamma(&r, HUGE_VAL)));
}

static double count[4001], expected[4001];

TEST(rng, poisson) {
    static const double means[] = {0.01, 0.7, 3, 9.99, 10, 12.5, 40, 1000};
    for (size_t k = 0; k < VDI__COUNT(means); k++) {
        vdi_rng r = vdi_rng_make(31, k);
        memset(count, 0, sizeof count);
        for (int i = 0; i < N; i++) {
            int64_t x = vdi_rng_poisson(&r, means[k]);
            CHECK(x >= 0, "a negative count");
            count[VDI__MIN(x, 4000)]++;
        }
        for (int i = 0; i <= 4000; i++)
            expected[i] = N * exp(i * log(means[k]) - means[k] - lgamma(i + 1.0));
        double z = chi_square_z(4001, count, expected);
        CHECK(z < 5, "Poisson(%g): z = %.2f", means[k], z);
    }
}

TEST(rng, binomial) {
    static const struct {
        int n;
        double p;
    } rows[] = {{1, 0.3},   {7, 0.5},      {40, 0.1},   {40, 0.95},   {100, 0.1}, {100, 0.37},
                {100, 0.9}, {3000, 0.001}, {3000, 0.4}, {4000, 0.99}, {20, 0.5}};
    for (size_t k = 0; k < VDI__COUNT(rows); k++) {
        vdi_rng r = vdi_rng_make(32, k);
        double n = rows[k].n, p = rows[k].p;
        memset(count, 0, sizeof count);
        for (int i = 0; i < N; i++) {
            int64_t x = vdi_rng_binomial(&r, rows[k].n, p);
            CHECK(x >= 0 && x <= rows[k].n, "%lld of %d", (long long)x, rows[k].n);
            count[VDI__MAX(VDI__MIN(x, 4000), 0)]++;
        }
        for (int i = 0; i <= rows[k].n; i++) {
            expected[i] = N * exp(lgamma(n + 1) - lgamma(i + 1.0) - lgamma(n - i + 1) + i * log(p) +
                                  (n - i) * log1p(-p));
        }
        double z = chi_square_z(rows[k].n + 1, count, expected);
        CHECK(z < 5, "binomial(%d,%g): z = %.2f", rows[k].n, p, z);
    }
}

/* Means so large that only moments can be counted. */
TEST(rng, large_counts) {
    static const double large[] = {1e5, 1e9, 1e14};
    for (size_t k = 0; k < VDI__COUNT(large); k++) {
        vdi_rng r = vdi_rng_make(33, k);
        double m = large[k];
        double sum = 0;
        double square = 0;
        double bsum = 0;
        double bsquare = 0;
        for (int i = 0; i < N; i++) {
            double x = (double)vdi_rng_poisson(&r, m) - m;
            double y = (double)vdi_rng_binomial(&r, (int64_t)(4 * m), 0.25) - m;
            sum += x;
            square += x * x;
            bsum += y;
            bsquare += y * y;
        }
        double z[4] = {sigmas(sum, N, 0, m), sigmas(square, N, m, 2 * m * m + m),
                       sigmas(bsum, N, 0, 0.75 * m), sigmas(bsquare, N, 0.75 * m, 1.125 * m * m)};
        for (int i = 0; i < 4; i++)
            CHECK(fabs(z[i]) < 5, "mean %g, moment %d: off by %.2f sigma", m, i, z[i]);
    }
}

TEST(rng, uniform_choices) {
    vdi_rng r = vdi_rng_make(34, 0);
    double hits = 0;
    for (int i = 0; i < N; i++)
        hits += vdi_rng_bernoulli(&r, 0.2);
    CHECK(fabs(sigmas(hits, N, 0.2, 0.16)) < 5, "bernoulli: %g", hits / N);
    memset(count, 0, sizeof count);
    for (int i = 0; i < N; i++)
        count[vdi_rng_below(&r, 37)]++;
    for (int i = 0; i < 37; i++)
        expected[i] = N / 37.0;
    CHECK(chi_square_z(37, count, expected) < 5, "below 37");
    memset(count, 0, sizeof count);
    /* a quarter of the pairs is rejected */
    for (int i = 0; i < N; i++)
        count[vdi_rng_below(&r, UINT64_C(0xC000000000000000)) >> 61]++;
    for (int i = 0; i < 6; i++)
        expected[i] = N / 6.0;
    CHECK(chi_square_z(6, count, expected) < 5, "below 3 * 2^62");
    memset(count, 0, sizeof count);
    for (int i = 0; i < N; i++) { /* all 120 orders of five */
        int64_t order[5];
        int rank = 0, seen = 0;
        vdi_rng_permutation(&r, 5, order);
        for (int a = 0; a < 5; a++) {
            int less = 0;
            for (int b = a + 1; b < 5; b++)
                less += order[b] < order[a];
            rank = rank * (5 - a) + less;
            seen |= 1 << order[a];
        }
        CHECK(seen == 31, "not a permutation");
        count[rank]++;
    }
    for (int i = 0; i < 120; i++)
        expected[i] = N / 120.0;
    CHECK(chi_square_z(120, count, expected) < 5, "permutations");
    vdi_rng_permutation(&r, 0, NULL);
}

TEST(rng, ends_of_parameters) {
    vdi_rng r = vdi_rng_make(34, 0);
    CHECK(vdi_rng_poisson(&r, -1) == -1 && vdi_rng_poisson(&r, NAN) == -1 &&
          vdi_rng_poisson(&r, HUGE_VAL) == -1 && vdi_rng_poisson(&r, 0) == 0);
    CHECK(vdi_rng_binomial(&r, -1, 0.5) == -1 && vdi_rng_binomial(&r, 5, -0.1) == -1 &&
          vdi_rng_binomial(&r, 5, 1.1) == -1 && vdi_rng_binomial(&r, 5, NAN) == -1);
    CHECK(vdi_rng_binomial(&r, 0, 0.5) == 0 && vdi_rng_binomial(&r, 9, 0) == 0 &&
          vdi_rng_binomial(&r, 9, 1) == 9);
    CHECK(!vdi_rng_bernoulli(&r, 0) && vdi_rng_bernoulli(&r, 1) && !vdi_rng_bernoulli(&r, NAN));
}
