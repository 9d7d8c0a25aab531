#include "engine/base/rng.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/error.h"

static const float two_pi_f = 6.2831853071795864769f;
static const double two_pi = 6.2831853071795864769;

/* ---- mt19937 ----------------------------------------------------------------------------------------------------- */

enum { MT_N = 624, MT_M = 397 };

static void mt_seed(struct rng *r, uint32_t seed) {
    r->state[0] = seed;
    for (uint32_t i = 1; i < MT_N; i++) r->state[i] = 1812433253u * (r->state[i - 1] ^ r->state[i - 1] >> 30) + i;
    r->next = MT_N;
}

static void mt_refill(struct rng *r) {
    uint32_t *s = r->state;
    for (int i = 0; i < MT_N; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % MT_N] & 0x7fffffffu);
        s[i] = s[(i + MT_M) % MT_N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    r->next = 0;
}

static uint32_t mt_u32(struct rng *r) {
    if (r->next == MT_N) mt_refill(r);
    uint32_t y = r->state[r->next++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

static float mt_uniform(struct rng *r) {
    return (float)(mt_u32(r) & 0xffffff) * 0x1p-24f;
}

static double mt_uniform_double(struct rng *r) {
    uint64_t high = mt_u32(r);
    return (double)((high << 32 | mt_u32(r)) & 0x1fffffffffffffull) * 0x1p-53;
}

/* Box-Muller over sixteen uniforms in place: value j pairs with value j + 8. */
static void box_muller_16(float d[16]) {
    for (int j = 0; j < 8; j++) {
        float radius = sqrtf(-2 * logf(1 - d[j])), angle = two_pi_f * d[j + 8];
        d[j] = radius * cosf(angle);
        d[j + 8] = radius * sinf(angle);
    }
}

static void mt_block(struct rng *r, float d[16]) {
    for (int j = 0; j < 16; j++) d[j] = mt_uniform(r);
    box_muller_16(d);
}

/* Fewer than sixteen values come one by one from a double Box-Muller, whose second value is kept for the next small
 * draw: it outlives any large draw in between. */
static double mt_normal_double(struct rng *r) {
    if (r->has_spare) {
        r->has_spare = false;
        return r->spare;
    }
    double u1 = mt_uniform_double(r), u2 = mt_uniform_double(r);
    double radius = sqrt(-2 * log1p(-u2)), angle = two_pi * u1;
    r->spare = radius * sin(angle);
    r->has_spare = true;
    return radius * cos(angle);
}

static void cpu_normal(struct rng *r, float *x, size_t n, enum dtype dtype) {
    if (n < 16) {
        for (size_t i = 0; i < n; i++) x[i] = (float)mt_normal_double(r);
        return;
    }
    size_t whole = n / 16 * 16;
    for (size_t i = 0; i < whole; i += 16) mt_block(r, x + i);
    if (whole == n) return;
    /* The last sixteen are drawn anew and overwrite values already made. In f32 torch has by then drawn n uniforms, one
     * for each value; in half precision only those of the whole blocks. */
    if (dtype == DT_F32)
        for (size_t i = whole; i < n; i++) mt_u32(r);
    mt_block(r, x + n - 16);
}

/* ---- Philox4x32-10 ----------------------------------------------------------------------------------------------- */

static void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1) {
    uint64_t p0 = 0xd2511f53ull * c[0], p1 = 0xcd9e8d57ull * c[2];
    uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k1, (uint32_t)p0};
    memcpy(c, next, sizeof next);
}

static void philox(uint64_t key, uint64_t offset, uint64_t thread, uint32_t out[4]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    out[0] = (uint32_t)offset, out[1] = (uint32_t)(offset >> 32);
    out[2] = (uint32_t)thread, out[3] = (uint32_t)(thread >> 32);
    for (int i = 0; i < 10; i++) {
        philox_round(out, k0, k1);
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
}

/* curand's normal pair: the sine first; multiply-adds fused, as on the device. */
static void philox_pair(uint32_t a, uint32_t b, float *first, float *second) {
    const float scale = 0x1p-32f, turn = 0x1p-32f * two_pi_f;
    float u = fmaf((float)a, scale, scale / 2), angle = fmaf((float)b, turn, turn / 2);
    float radius = sqrtf(-2 * logf(u));
    *first = radius * sinf(angle);
    *second = radius * cosf(angle);
}

/* torch launches P = blocks * 256 threads; thread i makes four normals a round k and writes them to i + P (4k + j). */
static void cuda_normal(struct rng *r, float *x, size_t n) {
    size_t blocks = (size_t)r->gpu.n_sms * (size_t)(r->gpu.threads_per_sm / 256), needed = (n + 255) / 256;
    size_t threads = (needed < blocks ? needed : blocks) * 256, round = 0;
    for (size_t base = 0; base < n; base += 4 * threads, round++) {
        for (size_t i = 0; i < threads && base + i < n; i++) {
            uint32_t c[4];
            float normal[4];
            philox(r->seed, r->offset / 4 + round, i, c);
            philox_pair(c[0], c[1], &normal[0], &normal[1]);
            philox_pair(c[2], c[3], &normal[2], &normal[3]);
            for (size_t j = 0, at = base + i; j < 4 && at < n; j++, at += threads) x[at] = normal[j];
        }
    }
    r->offset += 4 * round;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

void rng_init(struct rng *r, enum rng_kind kind, uint64_t seed, struct rng_gpu gpu) {
    assert(kind == RNG_CPU || (gpu.n_sms > 0 && gpu.threads_per_sm >= 256));
    memset(r, 0, sizeof *r);
    r->kind = kind;
    r->seed = seed;
    r->gpu = gpu;
    mt_seed(r, (uint32_t)seed); /* torch's CPU generator keeps 32 bits of the seed */
}

static float round_to(float x, enum dtype dtype) {
    if (dtype == DT_F16) return f16_to_f32(f32_to_f16(x));
    if (dtype == DT_BF16) return bf16_to_f32(f32_to_bf16(x));
    return x;
}

void rng_normal(struct rng *r, float *x, size_t n, enum dtype dtype) {
    assert(dtype == DT_F32 || dtype == DT_F16 || dtype == DT_BF16);
    if (r->kind == RNG_CPU) cpu_normal(r, x, n, dtype);
    else cuda_normal(r, x, n);
    if (dtype != DT_F32)
        for (size_t i = 0; i < n; i++) x[i] = round_to(x[i], dtype);
}

uint64_t rng_random_seed(void) {
    uint32_t seed;
    ssize_t got;
    do got = getrandom(&seed, sizeof seed, 0);
    while (got < 0 && errno == EINTR);
    if (got != sizeof seed) die(FAIL_IO, "no random seed from the system: %s", strerror(errno));
    return seed;
}
