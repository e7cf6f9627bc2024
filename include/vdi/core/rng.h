/* core/rng.h - counter-based random numbers: equal seed, equal numbers, on every platform and for any thread count
 *
 * Do this:
 *     vdi_rng rng = vdi_rng_make(42, 0);               seed 42, stream 0
 *     double u = vdi_rng_uniform(&rng);                [0,1)
 *     vdi_rng trial7 = vdi_rng_make(42, 7);            another stream: trial 7 alone can be run again
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): the numbers are a function of (seed, stream, position), so there is no
 * state to warm up and any position can be jumped to. Integers, uniforms and permutations are the same bits on every
 * platform; normals and what is built on them are the same within one build.
 * A vdi_rng is 64 bytes to be copied freely; it is not locked: one per thread.
 */
#ifndef VDI_CORE_RNG_H
#define VDI_CORE_RNG_H
#include "config.h"
#include "tensor.h"

/** A stream of random numbers. Treat the members as private; copy it to remember a position. */
typedef struct vdi_rng {
    uint64_t seed, stream, block; /* the next block of four words */
    uint32_t word[4];
    uint32_t used; /* words of the current block already handed out; 4 = none left */
    uint32_t reserved;
} vdi_rng;

/** Stream `stream` of seed `seed`, at its beginning. */
VDI_API vdi_rng vdi_rng_make(uint64_t seed, uint64_t stream);
/** Go to the start of 4-word block `block` of the stream. */
VDI_API void vdi_rng_seek(vdi_rng *rng, uint64_t block);
/** Philox4x32-10 itself, for tests and for those who keep their own counters. */
VDI_API void vdi_rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

VDI_API uint32_t vdi_rng_u32(vdi_rng *rng);
VDI_API uint64_t vdi_rng_u64(vdi_rng *rng);
/** Uniform on 0..n-1 without bias; n = 0 gives 0. */
VDI_API uint64_t vdi_rng_below(vdi_rng *rng, uint64_t n);
/** Uniform on [0,1), 53 bits. */
VDI_API double vdi_rng_uniform(vdi_rng *rng);
/** Standard normal. */
VDI_API double vdi_rng_normal(vdi_rng *rng);
/** Exponential with mean 1. */
VDI_API double vdi_rng_exponential(vdi_rng *rng);
/** Gamma with the given shape > 0 and scale 1 (Marsaglia and Tsang 2000). NaN for a bad shape. */
VDI_API double vdi_rng_gamma(vdi_rng *rng, double shape);
/** Poisson with mean >= 0 (inversion for small means, Hoermann's PTRS 1993 for large). -1 for a bad mean. */
VDI_API int64_t vdi_rng_poisson(vdi_rng *rng, double mean);
/** true with probability p. */
VDI_API bool vdi_rng_bernoulli(vdi_rng *rng, double p);
/** Successes in n trials of probability p (inversion for small n p, Hoermann's BTRS 1993 for large). -1 for bad arguments. */
VDI_API int64_t vdi_rng_binomial(vdi_rng *rng, int64_t n, double p);
/** A random permutation of 0..n-1 into out (Fisher-Yates). */
VDI_API void vdi_rng_permutation(vdi_rng *rng, int64_t n, int64_t *out);
/** n uniforms on [0,1) or n standard normals, in F32 or F64; the F32 ones are the F64 ones rounded (uniforms toward 0). */
VDI_API void vdi_rng_fill_uniform(vdi_rng *rng, vdi_dtype dtype, int64_t n, void *out);
VDI_API void vdi_rng_fill_normal(vdi_rng *rng, vdi_dtype dtype, int64_t n, void *out);

#endif /* VDI_CORE_RNG_H */
