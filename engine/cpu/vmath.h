/* exp2, SiLU, GELU for loops that compilers vectorise: no branches, no tables, no library calls. */
#ifndef ENGINE_CPU_VMATH_H
#define ENGINE_CPU_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* min(|x|, limit), as integers: gcc splits a float minimum into cases and then computes every case. NaN gives limit. */
static inline float vm_abs_min(float x, float limit) {
    uint32_t bits, most;
    memcpy(&bits, &x, sizeof bits);
    memcpy(&most, &limit, sizeof most);
    bits &= 0x7fffffffu;
    bits = bits < most ? bits : most;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^x for x in [-125, 127], relative error 2e-7; NaN stays NaN. x = n + f, n whole, |f| <= 1/2. */
static inline float vm_exp2(float x) {
    float shifted = x + 12582912.0f; /* 1.5 * 2^23: the low bits become n */
    float f = x - (shifted - 12582912.0f);
    float p = 0.001326472731307149f;
    p = p * f + 0.009671512991189957f;
    p = p * f + 0.05550733581185341f;
    p = p * f + 0.24022242426872253f;
    p = p * f + 0.6931470036506653f;
    p = p * f + 1.0f;
    uint32_t n, bits;
    memcpy(&n, &shifted, sizeof n);
    memcpy(&bits, &p, sizeof bits);
    bits += n << 23; /* onto the exponent: p is in [0.7, 1.5] */
    memcpy(&p, &bits, sizeof p);
    return p;
}

/* The same of any x to 127: 2^-125 for what is below. */
static inline float vm_exp2_below(float x) {
    return vm_exp2(x < -125.0f ? -125.0f : x);
}

/* x / (1 + e^-kx) by e^-|kx|, which cannot overflow. */
static inline float vm_swish(float x, float k) {
    float e = vm_exp2(vm_abs_min(k * x, 86.0f) * -1.44269504088896341f);
    return x * (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline float vm_silu(float x) {
    return vm_swish(x, 1.0f);
}

/* erf(|x|) = 1 - 2^-p(|x|), one polynomial over [0, 4]: absolute error 1.3e-7. NaN gives 1. */
static inline float vm_erf(float x) {
    float a = vm_abs_min(x, 4.0f);
    float p = -1.1604805886024628e-05f;
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

static inline float vm_gelu(float x) {
    return 0.5f * x * (1.0f + vm_erf(x * 0.70710678118654752f));
}

#endif
