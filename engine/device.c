/* Views and the activation arena: the part of a device that is the same for all of them. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include "engine/device.h"

enum { ARENA_ALIGN = 64, TAP_NAME_MAX = 256 };

void *arena_push(struct device *dev, size_t bytes) {
    size_t begin = dev->arena_used;
    size_t end = begin + (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    assert(end >= begin && (dev->planning || end <= dev->arena_capacity));
    dev->arena_used = end;
    if (end > dev->arena_peak) dev->arena_peak = end;
    return dev->arena_base + begin;
}

struct view view_alloc_as(struct device *dev, enum dtype dtype, int N, int H, int W, int C) {
    assert(N > 0 && H > 0 && W > 0 && C > 0);
    return view_dense(arena_push(dev, (size_t)N * H * W * C * dtype_table[dtype].size), dtype, N, H, W, C);
}

struct view view_alloc(struct device *dev, int N, int H, int W, int C) {
    return view_alloc_as(dev, dev->dtype, N, H, W, C);
}

struct view view_slice(struct view v, int c0, int C) {
    assert(v.p && c0 >= 0 && C > 0 && c0 + C <= v.C);
    v.p = (char *)v.p + (size_t)c0 * view_item(v);
    v.C = C;
    return v;
}

struct view view_images(struct view v, int n0, int N) {
    assert(v.p && n0 >= 0 && N > 0 && n0 + N <= v.N);
    v.p = (char *)v.p + (size_t)n0 * v.image * view_item(v);
    v.N = N;
    return v;
}

struct view view_tokens(struct view v, int t0, int T) {
    assert(v.p && v.H == 1 && t0 >= 0 && T > 0 && t0 + T <= v.W);
    v.p = (char *)v.p + (size_t)t0 * v.ld * view_item(v);
    v.W = T;
    return v;
}

void latents_to_nhwc(float *y, const float *x, int N, size_t HW, int C) {
    for (size_t n = 0; n < (size_t)N; n++)
        for (size_t c = 0; c < (size_t)C; c++)
            for (size_t i = 0; i < HW; i++) y[(n * HW + i) * (size_t)C + c] = x[(n * (size_t)C + c) * HW + i];
}

void latents_to_nchw(float *y, const float *x, int N, size_t HW, int C) {
    for (size_t n = 0; n < (size_t)N; n++)
        for (size_t c = 0; c < (size_t)C; c++)
            for (size_t i = 0; i < HW; i++) y[(n * (size_t)C + c) * HW + i] = x[(n * HW + i) * (size_t)C + c];
}

void tap_view(struct device *dev, struct view y, const char *fmt, ...) {
    if (!dev->tap || dev->planning) return;
    char name[TAP_NAME_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    assert(n >= 0 && n < TAP_NAME_MAX);
    dev->tap(dev, name, y);
}
