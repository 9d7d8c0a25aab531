/* The machine's float vectors in gcc's vector notation, and loads and stores of them in the device's type. */
#ifndef ENGINE_CPU_VEC_H
#define ENGINE_CPU_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined __SSE__
#include <xmmintrin.h>
#endif

#if defined __AVX512F__
enum { LANES = 16, VEC_REGISTERS = 32 };
#elif defined __AVX__
enum { LANES = 8, VEC_REGISTERS = 16 };
#else
enum { LANES = 4, VEC_REGISTERS = 16 };
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef uint32_t vec_u32 __attribute__((vector_size(4 * LANES)));
typedef uint16_t vec_u16 __attribute__((vector_size(2 * LANES)));

static inline vec vec_load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec_store(float *p, vec v) {
    memcpy(p, &v, sizeof v);
}

static inline vec vec_load_bf16(const uint16_t *p) {
    vec_u16 h;
    memcpy(&h, p, sizeof h);
    return (vec)(__builtin_convertvector(h, vec_u32) << 16);
}

/* Rounds to nearest even; NaN stays NaN. */
static inline void vec_store_bf16(uint16_t *p, vec v) {
    vec_u32 u = (vec_u32)v, nan = (vec_u32)(v != v);
    u = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    vec_u16 h = __builtin_convertvector((u & ~nan) | (nan & 0x7fc0), vec_u16);
    memcpy(p, &h, sizeof h);
}

/* Elements i.. of an array of f32 or bf16. */
static inline vec vec_get(const void *array, size_t i, bool bf16) {
    return bf16 ? vec_load_bf16((const uint16_t *)array + i) : vec_load((const float *)array + i);
}

static inline void vec_put(void *array, size_t i, vec v, bool bf16) {
    if (bf16) vec_store_bf16((uint16_t *)array + i, v);
    else vec_store((float *)array + i, v);
}

/* dst[j * ld_dst + i] = src[i * ld_src + j], i < rows, j < columns. */
static inline void vec_transpose(float *dst, size_t ld_dst, const float *src, size_t ld_src, int rows, int columns) {
    int rows4 = 0, columns4 = 0; /* those done four by four */
#if defined __SSE__
    rows4 = rows & ~3, columns4 = columns & ~3;
    for (int j = 0; j < columns4; j += 4)
        for (int i = 0; i < rows4; i += 4) {
            const float *s = src + (size_t)i * ld_src + j;
            float *d = dst + (size_t)j * ld_dst + i;
            __m128 v[4];
            for (int k = 0; k < 4; k++) v[k] = _mm_loadu_ps(s + (size_t)k * ld_src);
            _MM_TRANSPOSE4_PS(v[0], v[1], v[2], v[3]);
            for (int k = 0; k < 4; k++) _mm_storeu_ps(d + (size_t)k * ld_dst, v[k]);
        }
#endif
    if (rows4 == rows && columns4 == columns) return;
    for (int i = 0; i < rows; i++)
        for (int j = i < rows4 ? columns4 : 0; j < columns; j++) dst[(size_t)j * ld_dst + i] = src[(size_t)i * ld_src + j];
}

#endif
