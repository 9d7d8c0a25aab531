/* exp, sigmoid and erf that compilers vectorise: no branches, no tables, no library call. Errors measured over all floats in range. */
#ifndef ENGINE_CPU_VMATH_H
#define ENGINE_CPU_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float vm_min(float a, float b) { return a < b ? a : b; }
static inline float vm_max(float a, float b) { return a > b ? a : b; }

/* 2^n 2^f for n whole, n + 1.5*2^23 = shifted, |f| <= 1/2. */
static inline float vm_exp2_parts(float shifted, float f) {
    float p = 0.00015353361959569156f;
    p = p * f + 0.0013398873852565885f;
    p = p * f + 0.00961843691766262f;
    p = p * f + 0.055503323674201965f;
    p = p * f + 0.24022647738456726f;
    p = p * f + 0.6931471824645996f;
    p = p * f + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u; /* the low bits of `shifted` are n: make them an exponent */
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* 2^x, x clamped to [-126, 127]; relative error 2e-7; NaN stays NaN. */
static inline float vm_exp2(float x) {
    x = x < -126.0f ? -126.0f : x;
    x = x > 127.0f ? 127.0f : x;
    float shifted = x + 12582912.0f; /* 1.5 * 2^23: rounds to a whole number */
    return vm_exp2_parts(shifted, x - (shifted - 12582912.0f));
}

/* e^x, x clamped to [-87, 88]; relative error 2e-7; NaN stays NaN. */
static inline float vm_exp(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float shifted = x * 1.44269504088896341f + 12582912.0f;
    float n = shifted - 12582912.0f;
    float r = x - n * 0.693145751953125f; /* ln 2 in two parts: the first product is exact */
    r = r - n * 1.42860682030941723212e-6f;
    return vm_exp2_parts(shifted, r * 1.44269504088896341f);
}

static inline float vm_silu(float x) { return x / (1.0f + vm_exp(-x)); }
static inline float vm_quick_gelu(float x) { return x / (1.0f + vm_exp(-1.702f * x)); }

/* erf(|x|) = 1 - 2^-p(|x|): one polynomial over [0, 4], absolute error 7e-8. */
static inline float vm_erf(float x) {
    float a = fabsf(x);
    a = a > 4.0f ? 4.0f : a;
    float p = -1.1604825886024628e-05f;
    p = p * a + 0.00015296450874302536f;
    p = p * a + -0.0008482349221594632f;
    p = p * a + 0.002274786587804556f;
    p = p * a + -8.480654651066288e-05f;
    p = p * a + -0.027724474668502808f;
    p = p * a + 0.1483079046010971f;
    p = p * a + 0.9184429049491882f;
    p = p * a + 1.6279072761535645f;
    return copysignf(1.0f - vm_exp2(-p * a), x);
}

static inline float vm_gelu(float x) { return 0.5f * x * (1.0f + vm_erf(x * 0.70710678118654752f)); }

#endif
