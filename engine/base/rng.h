/* Bit-compatible with torch: the same seed gives the same noise.
 *
 *     torch.randn(n, generator=torch.Generator("cpu").manual_seed(seed))     rng_init(&r, RNG_CPU, seed, (struct rng_gpu){0});
 * rng_normal(&r, x, n, DT_F32); torch.randn(n, generator=torch.Generator("cuda").manual_seed(seed), device="cuda")   rng_init(&r, RNG_CUDA,
 * seed, rng_gpu_h100); …
 *
 * CPU: mt19937 (Matsumoto & Nishimura 1998) with torch's Box-Muller layout, whose result depends on the number and type of values
 * drawn at once. CUDA: Philox4x32-10 (Salmon et al. 2011) spread over the launch grid torch would use, which depends on the GPU
 * once n is large. */
#ifndef ENGINE_BASE_RNG_H
#define ENGINE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include "engine/base/dtype.h"

enum rng_kind { RNG_CPU, RNG_CUDA };

/* A GPU whose generator to agree with: its multiprocessors, and how many threads each of them holds (of which torch's blocks take 256).
 * Zeros: none. */
struct rng_gpu {
    int n_sms, threads_per_sm;
};
extern const struct rng_gpu rng_gpu_h100;
/* "t4", "RTX 3060", "NVIDIA GeForce RTX 4090": whatever case and punctuation; zeros for a name not known. */
struct rng_gpu rng_gpu_named(const char *name);
/* The nearest known name, or NULL. */
const char *rng_gpu_suggest(const char *name);

struct rng {
    enum rng_kind kind;
    /* mt19937 */
    uint32_t state[624];
    int next;
    bool has_spare; /* second value of the last small double draw */
    double spare;
    /* Philox */
    uint64_t seed, offset;
    struct rng_gpu gpu;
};

/* gpu: read of RNG_CUDA alone */
void rng_init(struct rng *r, enum rng_kind kind, uint64_t seed, struct rng_gpu gpu);
/* x[0..n) standard normal. dtype F32, F16 or BF16: the type torch would draw in (on the CPU another picture, on CUDA only rounding). */
void rng_normal(struct rng *r, float *x, size_t n, enum dtype dtype);
/* A seed from the system's entropy, in [0, 2^32). */
uint64_t rng_random_seed(void);

#endif
