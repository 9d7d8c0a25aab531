/* From sums of products to y, the same for every way to compute them: bias, time embedding, activation or gate, residual, in f32,
 * rounded once. */
#ifndef CUDA_EPILOGUE_CUH
#define CUDA_EPILOGUE_CUH

#include "cuda/device.h"
extern "C" {
#include "cuda/gemm.h"
}

/* v = p[0..n), n <= 8, and zeros; by 16 bytes where `whole`: n is 8 and p is aligned. */
template <class T> __device__ __forceinline__ void load8(T (&v)[8], const T *p, int n, bool whole) {
    constexpr int V = vec16<T>::N;
    if (whole) {
#pragma unroll
        for (int i = 0; i < 8; i += V) {
            vec16<T> a = *reinterpret_cast<const vec16<T> *>(p + i);
#pragma unroll
            for (int j = 0; j < V; j++) v[i + j] = a.v[j];
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++)
            if (i < n) v[i] = p[i];
    }
}

template <class T> __device__ __forceinline__ void store8(T *p, const float (&v)[8], int n, bool whole) {
    constexpr int V = vec16<T>::N;
    if (whole) {
#pragma unroll
        for (int i = 0; i < 8; i += V) {
            vec16<T> a;
#pragma unroll
            for (int j = 0; j < V; j++) a.v[j] = from_f32<T>(v[i + j]);
            store16(p + i, a);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++)
            if (i < n) p[i] = from_f32<T>(v[i]);
    }
}

/* The residual of columns j..j+7, or zeros: asked for long before the sums are ready, for it comes from afar. `to`: gemm_output's row. */
template <class T> __device__ __forceinline__ vec<T, 8> residual8(const struct gemm &g, int to, int j) {
    vec<T, 8> a = {};
    int n = min(8, g.N - j), at = g.interleave ? j / 2 : j;
    if (g.residual) load8(a.v, static_cast<const T *>(g.residual) + to * g.residual_ld + at, n, n == 8 && g.vectors);
    return a;
}

/* Columns j..j+7 of row m, y's row `to`, j % 8 == 0, from sums[0..8), and the gates' sums[8..16) where interleaved by 8. Bias and temb are
 * the same for many rows: they come from L1. */
template <class T>
__device__ __forceinline__ void finish8(const struct gemm &g, int m, int to, int j, const float *sums, const vec<T, 8> &residual) {
    int n = min(8, g.N - j), at = g.interleave ? j / 2 : j;
    bool whole = n == 8 && g.vectors;
    float v[8], bias[8] = {};
    T temb[8] = {};
    if (g.bias) load8(bias, g.bias + j, n, whole);
    if (g.temb) load8(temb, static_cast<const T *>(g.temb) + (g.temb_ld ? m / (g.Ho * g.Wo) * g.temb_ld : 0) + j, n, whole);
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] = sums[i] + bias[i] + to_f32(temb[i]);
    if (g.interleave) {
        float gate[8] = {};
        if (g.bias) load8(gate, g.bias + j + 8, n, whole);
#pragma unroll
        for (int i = 0; i < 8; i++) v[i] *= gelu_erf(sums[8 + i] + gate[i]);
    } else if (g.act != ACT_NONE) {
#pragma unroll
        for (int i = 0; i < 8; i++) v[i] = activated(g.act, v[i]);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] += to_f32(residual.v[i]);
    store8(static_cast<T *>(g.y) + to * g.y_ld + at, v, n, whole);
}

/* One value: column j of row m; `gate` is the sum `interleave` columns further on. */
template <class T> __device__ __forceinline__ void finish1(const struct gemm &g, int m, int j, float sum, float gate) {
    int b = g.interleave, n = b ? j / (2 * b) * b + j % b : j;
    float v = sum + (g.bias ? g.bias[j] : 0);
    if (g.temb) v += to_f32(static_cast<const T *>(g.temb)[(g.temb_ld ? m / (g.Ho * g.Wo) * g.temb_ld : 0) + j]);
    v = b ? v * gelu_erf(gate + (g.bias ? g.bias[j + b] : 0)) : activated(g.act, v);
    if (g.residual) v += to_f32(static_cast<const T *>(g.residual)[m * g.residual_ld + n]);
    static_cast<T *>(g.y)[m * g.y_ld + n] = from_f32<T>(v);
}

/* ---- the rows of A ----------------------------------------------------------------------------------------------- */

/* Where row m's filter lies: its image's first pixel, and its top left corner in x as the filter sees it. */
struct gemm_row {
    int image; /* -1: beyond M, nothing is seen */
    short y, x;
};

__device__ __forceinline__ gemm_row gemm_row_of(const struct gemm &g, int phase, int m) {
    if (m >= g.M) return {-1, 0, 0};
    int image = m / (g.Ho * g.Wo), at = m - image * (g.Ho * g.Wo), oy = at / g.Wo, ox = at - oy * g.Wo;
    return {image * g.H * g.W, (short)(oy * g.stride - g.top + phase / 2), (short)(ox * g.stride - g.left + phase % 2)};
}

/* The row of y and residual that row m is: of a phase, `row` says which. */
__device__ __forceinline__ int gemm_output(const struct gemm &g, gemm_row row, int phase, int m) {
    int p = phase / 2, q = phase % 2;
    return g.phases == 1 ? m : 4 * row.image + (2 * (row.y + g.top) - p) * 2 * g.Wo + 2 * (row.x + g.left) - q;
}

/* The pixel of x that tap (r,s) sees, -1 in the padding. */
__device__ __forceinline__ int gemm_pixel(const struct gemm &g, gemm_row row, int r, int s) {
    int y = row.y + r, x = row.x + s, enlarged = g.upsample - 1;
    bool seen = row.image >= 0 && (unsigned)y < (unsigned)g.seen_H && (unsigned)x < (unsigned)g.seen_W;
    return seen ? row.image + (y >> enlarged) * g.W + (x >> enlarged) : -1;
}

#endif
