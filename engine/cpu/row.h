/* Rows of a view as f32, whatever its type: the kernels compute in f32 and convert at the ends. */
#ifndef ENGINE_CPU_ROW_H
#define ENGINE_CPU_ROW_H

#include "engine/cpu/ops.h"

enum { ROW_CHUNK = 512 }; /* elements converted at a time */
#define ROW_NS 0.5        /* about, to read, compute and write one: what loops over rows tell the pool */

/* Where row t, channel c of v is, whose images lie back to back. */
static inline void *row_at(struct view v, size_t t, int c) {
    return (char *)v.p + (t * (size_t)v.ld + (size_t)c) * dtype_table[v.dtype].size;
}

/* n elements at p as f32: p itself where they are, else converted into buf. */
static inline const float *row_load(enum dtype dtype, const void *p, float *buf, int n) {
    if (dtype == DT_F32) return p;
    const uint16_t *src = p;
    for (int i = 0; i < n; i++) buf[i] = bf16_to_f32(src[i]);
    return buf;
}

/* Where to compute what row_store will put at p: p itself for f32. */
static inline float *row_target(enum dtype dtype, void *p, float *buf) {
    return dtype == DT_F32 ? p : buf;
}

static inline void row_store(enum dtype dtype, void *p, const float *src, int n) {
    if (dtype == DT_F32) {
        if (p != (const void *)src) memcpy(p, src, (size_t)n * sizeof *src);
        return;
    }
    uint16_t *dst = p;
    for (int i = 0; i < n; i++) dst[i] = f32_to_bf16(src[i]);
}

static inline int imin(int a, int b) {
    return a < b ? a : b;
}
static inline int imax(int a, int b) {
    return a > b ? a : b;
}
static inline int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

#endif
