/* core/rng.h - counter-based random numbers: equal seed, equal numbers, on every platform and for
 * any thread count
 *
 * Do this:
 *     vdi_rng rng = vdi_rng_make(42, 0);      seed 42, stream 0
 *     double u = vdi_rng_uniform(&rng);       [0,1)
 *     vdi_rng trial7 = vdi_rng_make(42, 7);   another stream: trial 7 alone can be run again
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): the numbers are a function of (seed, stream,
 * position), so there is no state to warm up and any position can be jumped to. A stream has 2^66
 * words; seed is the key, block and stream are the counter.
 *
 * Which results have the same bits: words, uniforms, below, bernoulli and permutations on every
 * platform; normals in 97 of 100 draws too, but the others, and exponential, gamma, Poisson and
 * binomial, call exp, log and pow of the C library, whose last bit differs between libraries, so
 * they are the same within one build. docs/guide/random.md has the details.
 * What it does not do: cryptography, quasi-random sequences.
 * Memory: none. Errors: bad parameters give NaN or -1, as noted. Threads: a vdi_rng is 64 bytes to
 * be copied freely, and is not locked: one per thread.
 */
#ifndef VDI_CORE_RNG_H
#define VDI_CORE_RNG_H
#include "config.h"
#include "tensor.h"

/** A stream of random numbers. Treat the members as private; copy it to remember a position. */
typedef struct vdi_rng {
    uint64_t seed, stream, block; /* block: the next one of four words to be made */
    uint32_t word[8];             /* the two blocks before it */
    uint32_t used;                /* how many of those words are handed out */
    uint32_t reserved;
} vdi_rng;

/** Stream `stream` of seed `seed`, at its beginning. */
VDI_API vdi_rng vdi_rng_make(uint64_t seed, uint64_t stream);
/** Go to the start of 4-word block `block` of the stream. */
VDI_API void vdi_rng_seek(vdi_rng *rng, uint64_t block);
/** Philox4x32-10 itself, for tests and for those who keep their own counters. */
VDI_API void vdi_rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/** The next word. */
VDI_API uint32_t vdi_rng_u32(vdi_rng *rng);
/** The next two words, the first one low. */
VDI_API uint64_t vdi_rng_u64(vdi_rng *rng);
/** Uniform on 0..n-1 without bias (Lemire 2019), from words up to n = 2^32, else from pairs; n = 0
 * gives 0. */
VDI_API uint64_t vdi_rng_below(vdi_rng *rng, uint64_t n);
/** Uniform on [0,1): the upper 53 bits of a u64, times 2^-53. */
VDI_API double vdi_rng_uniform(vdi_rng *rng);
/** Standard normal (ziggurat of Marsaglia and Tsang 2000 with 128 layers and 53 bits, so that the
 * tails are whole). */
VDI_API double vdi_rng_normal(vdi_rng *rng);
/** Exponential with mean 1. */
VDI_API double vdi_rng_exponential(vdi_rng *rng);
/** Gamma with the given shape > 0 and scale 1 (Marsaglia and Tsang 2000). NaN for a shape that is
 * not positive and finite. */
VDI_API double vdi_rng_gamma(vdi_rng *rng, double shape);
/** Poisson with mean >= 0 (inversion below 10, Hoermann's PTRS 1993 above). -1 for a bad mean: NaN,
 * negative, or above 10^15. */
VDI_API int64_t vdi_rng_poisson(vdi_rng *rng, double mean);
/** true with probability p; never for p <= 0 or NaN, always for p >= 1. Takes one uniform in any
 * case. */
VDI_API bool vdi_rng_bernoulli(vdi_rng *rng, double p);
/** Successes in n trials of probability p (inversion for n min(p,1-p) below 10, Hoermann's BTRS
 * 1993 above).
 *  -1 for bad arguments: n < 0, n > 10^15, or p not in [0,1]. */
VDI_API int64_t vdi_rng_binomial(vdi_rng *rng, int64_t n, double p);
/** A random permutation of 0..n-1 into out (Fisher-Yates). */
VDI_API void vdi_rng_permutation(vdi_rng *rng, int64_t n, int64_t *out);
/** n uniforms on [0,1), in F32 or F64: those of n single calls, faster. The F32 ones are cut to 24
 * bits, so none is 1. */
VDI_API void vdi_rng_fill_uniform(vdi_rng *rng, vdi_dtype dtype, int64_t n, void *out);
/** n standard normals, in F32 or F64: those of n single calls, faster. The F32 ones are the F64
 * ones rounded. */
VDI_API void vdi_rng_fill_normal(vdi_rng *rng, vdi_dtype dtype, int64_t n, void *out);

#endif /* VDI_CORE_RNG_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_RNG_C)
#define VDI_CORE_RNG_C

/* One round: two 32 x 32 -> 64 bit products, crossed. */
#define VDI__PHILOX_ROUND(c0, c1, c2, c3)                                                  \
    do {                                                                                   \
        uint64_t vdi__a = (uint64_t)(c0)*0xD2511F53u, vdi__b = (uint64_t)(c2)*0xCD9E8D57u; \
        c0 = (uint32_t)(vdi__b >> 32) ^ (c1) ^ k0;                                         \
        c1 = (uint32_t)vdi__b;                                                             \
        c2 = (uint32_t)(vdi__a >> 32) ^ (c3) ^ k1;                                         \
        c3 = (uint32_t)vdi__a;                                                             \
    } while (0)

/* Blocks `block` and block + 1: a block is a chain of ten products, and two chains take the time of
 * one. */
VDI__INLINE void vdi__philox_pair(uint64_t seed, uint64_t stream, uint64_t block, uint32_t out[8]) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t a0 = (uint32_t)block;
    uint32_t a1 = (uint32_t)(block >> 32);
    uint32_t a2 = (uint32_t)stream;
    uint32_t a3 = (uint32_t)(stream >> 32);
    uint32_t b0 = (uint32_t)(block + 1);
    uint32_t b1 = (uint32_t)((block + 1) >> 32);
    uint32_t b2 = a2;
    uint32_t b3 = a3;
    for (int round = 0; round < 10; round++) {
        VDI__PHILOX_ROUND(a0, a1, a2, a3);
        VDI__PHILOX_ROUND(b0, b1, b2, b3);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = a0;
    out[1] = a1;
    out[2] = a2;
    out[3] = a3;
    out[4] = b0;
    out[5] = b1;
    out[6] = b2;
    out[7] = b3;
}
#undef VDI__PHILOX_ROUND

VDI__DEF void vdi_rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t pair[8];
    vdi__philox_pair((uint64_t)key[1] << 32 | key[0], (uint64_t)counter[3] << 32 | counter[2],
                     (uint64_t)counter[1] << 32 | counter[0], pair);
    memcpy(out, pair, 4 * sizeof *out);
}

VDI__DEF void vdi_rng_seek(vdi_rng *rng, uint64_t block) {
    rng->block = block;
    rng->used = 8;
}

VDI__DEF vdi_rng vdi_rng_make(uint64_t seed, uint64_t stream) {
    vdi_rng rng = VDI__ZERO;
    rng.seed = seed;
    rng.stream = stream;
    vdi_rng_seek(&rng, 0);
    return rng;
}

VDI__NOINLINE VDI__FN void vdi__rng_refill(vdi_rng *rng) {
    vdi__philox_pair(rng->seed, rng->stream, rng->block, rng->word);
    rng->block += 2;
    rng->used = 0;
}

VDI__INLINE uint32_t vdi__rng_word(vdi_rng *rng) {
    if (rng->used >= 8) vdi__rng_refill(rng);
    return rng->word[rng->used++];
}

VDI__DEF uint32_t vdi_rng_u32(vdi_rng *rng) { return vdi__rng_word(rng); }

VDI__INLINE uint64_t vdi__rng_pair(vdi_rng *rng) {
    if (VDI__LIKELY(rng->used <= 6)) {
        const uint32_t *word = rng->word + rng->used;
        rng->used += 2;
        return (uint64_t)word[1] << 32 | word[0];
    }
    uint32_t low = vdi__rng_word(rng);
    return (uint64_t)vdi__rng_word(rng) << 32 | low;
}

VDI__DEF uint64_t vdi_rng_u64(vdi_rng *rng) { return vdi__rng_pair(rng); }

VDI__DEF uint64_t vdi_rng_below(vdi_rng *rng, uint64_t n) {
    uint64_t low;
    if (n <= 1) return 0;
    if (n <= (uint64_t)1 << 32) {
        /* the upper half of word * n; a low half below 2^32 mod n would give some values one word
         * too many */
        uint64_t product = vdi_rng_u32(rng) * n;
        if ((uint32_t)product < n) {
            uint32_t least = (uint32_t)(((uint64_t)1 << 32) % n);
            while ((uint32_t)product < least)
                product = vdi_rng_u32(rng) * n;
        }
        return product >> 32;
    }
    uint64_t high = vdi__mul64(vdi_rng_u64(rng), n, &low);
    if (low < n) {
        uint64_t least = (0 - n) % n;
        while (low < least)
            high = vdi__mul64(vdi_rng_u64(rng), n, &low);
    }
    return high;
}

VDI__FN double vdi__unit(uint64_t u) {
    return (double)(int64_t)(u >> 11) * (1.0 / 9007199254740992.0);
}
VDI__DEF double vdi_rng_uniform(vdi_rng *rng) { return vdi__unit(vdi_rng_u64(rng)); }

/* A draw from (0,1), for logarithms. */
VDI__FN double vdi__rng_open(vdi_rng *rng) {
    double u;
    do {
        u = vdi_rng_uniform(rng);
    } while (u == 0);
    return u;
}

/* The right ends of 128 layers of equal area under exp(-x^2/2); the lowest holds the tail too and
 * is as wide as if it were a box. */
static const double vdi__ziggurat[129] = {
    3.7130862467403634,  3.4426198558966523,  3.2230849845786187,
    3.0832288582142136,  2.9786962526450171,  2.8943440070186708,
    2.8231253505459666,  2.7611693723841539,  2.7061135731187225,
    2.6564064112581924,  2.6109722484286131,  2.5690336259216391,
    2.5300096723854666,  2.4934545220919508,  2.4590181774083502,
    2.4264206455302118,  2.3954342780074676,  2.3658713701139877,
    2.3375752413355309,  2.310413683695002,   2.2842740596736566,
    2.2590595738653296,  2.2346863955870568,  2.2110814088747279,
    2.1881804320720204,  2.1659267937448408,  2.1442701823562613,
    2.1231657086697902,  2.1025731351849988,  2.0824562379877247,
    2.0627822745039635,  2.0435215366506694,  2.024646973372934,
    2.0061338699589668,  1.9879595741230607,  1.9701032608497133,
    1.9525457295488888,  1.9352692282919002,  1.9182573008597321,
    1.9014946531003176,  1.8849670357028692,  1.8686611409895419,
    1.8525645117230871,  1.8366654602533841,  1.8209529965910052,
    1.8054167642140488,  1.790046982594619,   1.7748343955807693,
    1.759770224894232,   1.7448461281083765,  1.7300541605582436,
    1.7153867407081165,  1.7008366185643009,  1.6863968467734862,
    1.6720607540918522,  1.6578219209482075,  1.6436741568569826,
    1.6296114794646783,  1.6156280950371329,  1.601718380215277,
    1.5878768648844006,  1.5740982160167498,  1.5603772223598407,
    1.5467087798535035,  1.5330878776675561,  1.5195095847593707,
    1.5059690368565504,  1.4924614237746154,  1.4789819769830979,
    1.4655259573357946,  1.4520886428822164,  1.4386653166774612,
    1.4252512545068616,  1.4118417124397602,  1.3984319141236063,
    1.3850170377251487,  1.3715922024197322,  1.3581524543224228,
    1.344692751745713,   1.3312079496576765,  1.317692783201343,
    1.3041418501204216,  1.2905495919178731,  1.2769102735516997,
    1.2632179614460282,  1.2494664995643336,  1.2356494832544811,
    1.2217602305309625,  1.2077917504067577,  1.1937367078237722,
    1.1795873846544607,  1.1653356361550469,  1.150972842138976,
    1.1364898520030755,  1.121876922572254,   1.1071236475235353,
    1.0922188768965537,  1.0771506248819376,  1.0619059636836194,
    1.0464709007525803,  1.0308302360564556,  1.0149673952392995,
    0.99886423348064346, 0.98250080350276037, 0.96585507938813064,
    0.94890262549791193, 0.93161619660135386, 0.91396525100880177,
    0.89591535256623855, 0.87742742909771565, 0.85845684317805082,
    0.83895221428120748, 0.8188539066833177,  0.7980920606262748,
    0.77658398787614835, 0.75423066443451003, 0.73091191062188132,
    0.70647961131360804, 0.68074791864590423, 0.65347863871504241,
    0.62435859730908827, 0.592962942441978,   0.55869217837551799,
    0.52065603872514488, 0.47743783725378786, 0.42654798630330515,
    0.36287143102841829, 0.27232086470466382, 0};

/* Point u of the ziggurat: the lower bits choose layer and sign, the upper 53 the place. True if it
 * lies under the curve for sure. */
VDI__INLINE bool vdi__ziggurat_try(uint64_t u, double *x) {
    const double *edge = vdi__ziggurat + (u & 127);
    double place = vdi__unit(u) * edge[0];
    uint64_t bits;
    memcpy(&bits, &place, sizeof bits);
    bits |= (u & 128) << 56; /* the sign, without a branch that goes wrong every other time */
    memcpy(x, &bits, sizeof bits);
    return place < edge[1];
}

/* What to do with a point that was not sure: true if *x is to be taken after all. */
VDI__FN bool vdi__ziggurat_edge(vdi_rng *rng, uint64_t u, double *x) {
    const double *edge = vdi__ziggurat + (u & 127);
    if ((u & 127) == 0) { /* the tail beyond r (Marsaglia 1964) */
        double r = vdi__ziggurat[1], far, y;
        do {
            far = -log(vdi__rng_open(rng)) / r;
            y = -log(vdi__rng_open(rng));
        } while (y + y < far * far);
        *x = *x < 0 ? -(r + far) : r + far;
        return true;
    }
    double low = exp(-0.5 * edge[0] * edge[0]), high = exp(-0.5 * edge[1] * edge[1]);
    return low + (high - low) * vdi_rng_uniform(rng) < exp(-0.5 * *x * *x);
}

VDI__DEF double vdi_rng_normal(vdi_rng *rng) {
    double x;
    for (;;) {
        uint64_t u = vdi__rng_pair(rng);
        if (VDI__LIKELY(vdi__ziggurat_try(u, &x)) || vdi__ziggurat_edge(rng, u, &x)) return x;
    }
}

VDI__DEF double vdi_rng_exponential(vdi_rng *rng) { return -log1p(-vdi_rng_uniform(rng)); }

VDI__DEF double vdi_rng_gamma(vdi_rng *rng, double shape) {
    if (!(shape > 0) || !(shape - shape == 0)) return NAN;
    double boost = 1;
    if (shape < 1) { /* gamma(a) = gamma(a + 1) U^(1/a) */
        boost = pow(vdi__rng_open(rng), 1 / shape);
        shape += 1;
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = vdi_rng_normal(rng), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        double u = vdi__rng_open(rng), xx = x * x;
        if (u < 1 - 0.0331 * xx * xx || log(u) < 0.5 * xx + d * (1 - v + log(v)))
            return boost * d * v;
    }
}

/* log k! less Stirling's k log k - k + log(2 pi k)/2 (Loader 2000). */
VDI__FN double vdi__stirling_error(double k) {
    static const double small[10] = {0.0, /* never asked for */
                                     0.081061466795327258219670264,
                                     0.041340695955409294093822081,
                                     0.027677925684998339148789292,
                                     0.020790672103765093111522771,
                                     0.016644691189821192163194865,
                                     0.013876128823070747998745727,
                                     0.011896709945891770095055724,
                                     0.010411265261972096497478567,
                                     0.009255462182712732917728637};
    if (k < 10) return small[(int)k];
    double r = 1 / (k * k);
    return (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r * (1.0 / 1188))))) /
           k;
}

/* k log(k/m) + m - k without cancellation (Loader 2000). */
VDI__FN double vdi__deviance(double k, double m) {
    double d = k - m, v = d / (k + m);
    if (fabs(v) >= 0.1) return k * log(k / m) - d;
    double sum = d * v, term = 2 * k * v; /* log(k/m) = 2 atanh v */
    for (int j = 3; j < 40; j += 2) {
        double before = sum;
        term *= v * v;
        sum += term / j;
        if (sum == before) break;
    }
    return sum;
}

/* log of the Poisson probability of k >= 0 */
VDI__FN double vdi__poisson_log(double k, double mean) {
    return k == 0 ? -mean
                  : -vdi__stirling_error(k) - vdi__deviance(k, mean) - 0.5 * log(2 * VDI_PI * k);
}

VDI__DEF int64_t vdi_rng_poisson(vdi_rng *rng, double mean) {
    if (!(mean >= 0) || mean > 1e15) return -1;
    if (mean < 10) {
        for (;;) {
            double p = exp(-mean), u = vdi_rng_uniform(rng);
            int64_t k = 0;
            for (; u >= p && k < 200; k++) { /* beyond 200 only rounding leads */
                u -= p;
                p *= mean / (double)(k + 1);
            }
            if (k < 200) return k;
        }
    }
    double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
    double log_inverse = log(1.1239 + 1.1328 / (b - 3.4)), sure = 0.9277 - 3.6224 / (b - 2);
    for (;;) {
        double u = vdi_rng_uniform(rng) - 0.5, v = vdi__rng_open(rng), us = 0.5 - fabs(u);
        if (us == 0) continue;
        double k = floor((2 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && v <= sure) return (int64_t)k;
        if (k < 0 || (us < 0.013 && v > us)) continue;
        if (log(v) + log_inverse - log(a / (us * us) + b) <= vdi__poisson_log(k, mean))
            return (int64_t)k;
    }
}

VDI__DEF bool vdi_rng_bernoulli(vdi_rng *rng, double p) { return vdi_rng_uniform(rng) < p; }

/* log of the binomial probability of 0 <= k <= n, 0 < p < 1 (Loader 2000) */
VDI__FN double vdi__binomial_log(double k, double n, double p) {
    if (k == 0) return n * log1p(-p);
    if (k == n) return n * log(p);
    return vdi__stirling_error(n) - vdi__stirling_error(k) - vdi__stirling_error(n - k) -
           vdi__deviance(k, n * p) - vdi__deviance(n - k, n * (1 - p)) -
           0.5 * log(2 * VDI_PI * k * ((n - k) / n));
}

VDI__DEF int64_t vdi_rng_binomial(vdi_rng *rng, int64_t n, double p) {
    if (n < 0 || n > INT64_C(1000000000000000) || !(p >= 0 && p <= 1)) return -1;
    if (p > 0.5) return n - vdi_rng_binomial(rng, n, 1 - p);
    if (n == 0 || p == 0) return 0;
    double trials = (double)n, np = trials * p;
    if (np < 10) {
        double odds = p / (1 - p), first = exp(trials * log1p(-p));
        int64_t most = VDI__MIN(n, 200);
        for (;;) {
            double f = first, u = vdi_rng_uniform(rng);
            int64_t k = 0;
            for (; u >= f && k <= most; k++) {
                u -= f;
                f *= odds * (trials - (double)k) / (double)(k + 1);
            }
            if (k <= most) return k;
        }
    }
    double spread = sqrt(np * (1 - p));
    double b = 1.15 + 2.53 * spread;
    double a = -0.0873 + 0.0248 * b + 0.01 * p;
    double c = np + 0.5;
    double sure = 0.92 - 4.2 / b, alpha = (2.83 + 5.1 / b) * spread;
    double at_mode = vdi__binomial_log(floor((trials + 1) * p), trials, p);
    for (;;) {
        double u = vdi_rng_uniform(rng) - 0.5, v = vdi__rng_open(rng), us = 0.5 - fabs(u);
        if (us == 0) continue;
        double k = floor((2 * a / us + b) * u + c);
        if (us >= 0.07 && v <= sure) return (int64_t)k;
        if (k < 0 || k > trials) continue;
        if (log(v * alpha / (a / (us * us) + b)) <= vdi__binomial_log(k, trials, p) - at_mode)
            return (int64_t)k;
    }
}

VDI__DEF void vdi_rng_permutation(vdi_rng *rng, int64_t n, int64_t *out) {
    for (int64_t i = 0; i < n; i++) {
        int64_t j = (int64_t)vdi_rng_below(rng, (uint64_t)i + 1);
        out[i] = out[j];
        out[j] = i;
    }
}

/* A window of the stream for the bulk calls. */
#define VDI__RNG_WINDOW 128
typedef struct vdi__rng_window {
    uint32_t word[VDI__RNG_WINDOW];
    uint64_t first; /* block that word[0] belongs to */
} vdi__rng_window;

/* Fill the window from the block of the next word on; returns the place of that word in it. */
VDI__FN int vdi__rng_open_window(const vdi_rng *rng, vdi__rng_window *w) {
    w->first = rng->block - 2 + rng->used / 4;
    for (int i = 0; i < VDI__RNG_WINDOW; i += 8)
        vdi__philox_pair(rng->seed, rng->stream, w->first + (uint64_t)i / 4, w->word + i);
    return (int)(rng->used % 4);
}

/* Put the generator at place `at` of the window. */
VDI__FN void vdi__rng_leave_window(vdi_rng *rng, const vdi__rng_window *w, int at) {
    int base = VDI__MIN(at & ~3, VDI__RNG_WINDOW - 8);
    memcpy(rng->word, w->word + base, sizeof rng->word);
    rng->block = w->first + (uint64_t)base / 4 + 2;
    rng->used = (uint32_t)(at - base);
}

VDI__DEF void vdi_rng_fill_uniform(vdi_rng *rng, vdi_dtype dtype, int64_t n, void *out) {
    float *f = (float *)out;
    double *d = (double *)out;
    vdi__rng_window w;
    for (int64_t i = 0; i < n;) {
        int at = vdi__rng_open_window(rng, &w);
        for (; at + 2 <= VDI__RNG_WINDOW && i < n; at += 2, i++) {
            if (dtype == VDI_F32)
                f[i] = (float)(int32_t)(w.word[at + 1] >> 8) * (1.0f / 16777216.0f);
            else
                d[i] = vdi__unit((uint64_t)w.word[at + 1] << 32 | w.word[at]);
        }
        vdi__rng_leave_window(rng, &w, at);
    }
}

VDI__DEF void vdi_rng_fill_normal(vdi_rng *rng, vdi_dtype dtype, int64_t n, void *out) {
    float *f = (float *)out;
    double *d = (double *)out;
    vdi__rng_window w;
    for (int64_t i = 0; i < n;) {
        int at = vdi__rng_open_window(rng, &w);
        bool inside = true;
        while (inside && at + 2 <= VDI__RNG_WINDOW && i < n) {
            double x;
            uint64_t u = (uint64_t)w.word[at + 1] << 32 | w.word[at];
            at += 2;
            bool taken = vdi__ziggurat_try(u, &x);
            if (VDI__UNLIKELY(!taken)) { /* draws on from here, perhaps beyond the window */
                vdi__rng_leave_window(rng, &w, at);
                taken = vdi__ziggurat_edge(rng, u, &x);
                uint64_t now = 4 * (rng->block - 2 - w.first) + rng->used;
                inside = now <= VDI__RNG_WINDOW;
                if (inside) at = (int)now;
            }
            if (!taken) continue;
            if (dtype == VDI_F32)
                f[i++] = (float)x;
            else
                d[i++] = x;
        }
        if (inside) vdi__rng_leave_window(rng, &w, at);
    }
}
#endif
