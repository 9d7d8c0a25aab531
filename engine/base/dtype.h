/* Element types of files and devices. */
#ifndef ENGINE_BASE_DTYPE_H
#define ENGINE_BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum dtype {
    DT_F32,
    DT_F16,
    DT_BF16,
    DT_F64,
    DT_I64,
    DT_I32,
    DT_I16,
    DT_I8,
    DT_U64,
    DT_U32,
    DT_U16,
    DT_U8,
    DT_BOOL,
    DT_F8_E4M3,
    DT_F8_E5M2,
    DT_COUNT
};

extern const struct dtype_info {
    const char *name; /* as safetensors spells it: "F32" */
    uint8_t size;     /* bytes an element */
} dtype_table[DT_COUNT];

static inline float bf16_to_f32(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static inline uint16_t f32_to_bf16(float f) { /* round to nearest even; NaN stays NaN */
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f); /* round to nearest even */

/* The nearest value of a type that activations have. */
static inline float dtype_round(float f, enum dtype dtype) {
    return dtype == DT_F16 ? f16_to_f32(f32_to_f16(f)) : dtype == DT_BF16 ? bf16_to_f32(f32_to_bf16(f)) : f;
}

/* dst[i] = src[i] as f32, for F32, F16, BF16 and F64 sources; src need not be aligned. */
void dtype_to_f32(float *dst, const void *src, enum dtype dtype, size_t n);

#endif
