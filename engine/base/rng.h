/* Bit-compatible with torch: the same seed gives the same noise.
 *
 *     torch.randn(n, generator=torch.Generator("cpu").manual_seed(seed))     rng_init(&r, RNG_CPU, seed, 0);  rng_normal(&r, x, n, DT_F32);
 *     torch.randn(n, generator=torch.Generator("cuda").manual_seed(seed), device="cuda")   rng_init(&r, RNG_CUDA, seed, 132); …
 *
 * CPU: mt19937 (Matsumoto & Nishimura 1998) with torch's Box-Muller layout, whose result depends on the number and type of values
 * drawn at once. CUDA: Philox4x32-10 (Salmon et al. 2011) spread over the launch grid torch would use, which depends on the GPU's
 * number of multiprocessors once n is large. */
#ifndef ENGINE_BASE_RNG_H
#define ENGINE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include "engine/base/dtype.h"

enum rng_kind { RNG_CPU, RNG_CUDA };

struct rng {
    enum rng_kind kind;
    /* mt19937 */
    uint32_t state[624];
    int next;
    bool has_spare; /* second value of the last small double draw */
    double spare;
    /* Philox */
    uint64_t seed, offset;
    int n_sms; /* multiprocessors of the GPU to agree with */
    int threads_per_sm;
};

void rng_init(struct rng *r, enum rng_kind kind, uint64_t seed, int n_sms);
/* x[0..n) standard normal. dtype F32, F16 or BF16: the type torch would draw in (on the CPU another picture, on CUDA only rounding). */
void rng_normal(struct rng *r, float *x, size_t n, enum dtype dtype);
/* A seed from the system's entropy, in [0, 2^32). */
uint64_t rng_random_seed(void);

#endif
