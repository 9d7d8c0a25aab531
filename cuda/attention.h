/* What the attention kernels share: their arguments, tiles in shared memory, fragments of them, and a step of softmax.
 *
 * One kernel family per file, all for strided views and all with softmax in f32:
 *
 *     attention_short.cu   up to 96 keys, D up to 160: a head's keys and values lie whole in shared memory    tensor cores
 *     attention_flash.cu   any number of keys, D up to 256                                                     tensor cores
 *     attention_wide.cu    any number of keys, D up to 512: the width is shared out over the warps             tensor cores
 *     attention_plain.cu   anything
 */
#ifndef CUDA_ATTENTION_H
#define CUDA_ATTENTION_H

#include <cfloat>
#include "cuda/device.h"

/* Rows of ld values; image n begins n * image values further on, 0 where all images share one. */
struct attention_rows {
    void *p;
    int ld;
    size_t image;
};
struct attention_args {
    attention_rows y, q, k, v;
    int Tq, Tk, D, n_heads;
    bool causal;
    enum dtype dtype;
    float scale; /* log2(e) / sqrt(D): exponentials are of base 2 */
};

/* The operands fit tensor cores: 16-bit, D % 8 == 0, every row aligned to 16 bytes. Each returns false where D or Tk is not its own. */
bool attention_short(cuda_device *dev, const attention_args &a, int n_images);
bool attention_flash(cuda_device *dev, const attention_args &a, int n_images);
bool attention_wide(cuda_device *dev, const attention_args &a, int n_images);
void attention_plain(cuda_device *dev, const attention_args &a, int n_images);

/* Row 0 of the block's image and head: blockIdx.y counts heads, then images. */
template <class T> __device__ __forceinline__ T *head_rows(const attention_rows &x, int n_heads, int D) {
    int n = blockIdx.y / n_heads, h = blockIdx.y % n_heads;
    return static_cast<T *>(x.p) + n * x.image + h * D;
}

/* Keys row i sees. */
__device__ __forceinline__ int keys_seen(const attention_args &a, int i) {
    return a.causal ? min(a.Tk, i + 1) : a.Tk;
}

#define EACH _Pragma("unroll")

/* Columns of a tile for heads up to D wide: products take 16 at a time. */
template <int D> constexpr int padded = (D + 15) / 16 * 16;

/* ---- tiles in shared memory -------------------------------------------------------------------------------------- */

/* Rows of COLUMNS 16-bit values (COLUMNS % 16 == 0) without padding, in chunks of 8. ldmatrix reads one chunk of 8
 * rows that follow each other at once; so that these lie in 8 different groups of banks, chunk c of row r is kept at
 * c ^ swizzle(r). The swizzle has period 8, so a lane's is the same in all the tiles it reads. */
template <int COLUMNS> struct tile {
    static constexpr int CHUNKS = COLUMNS / 8, LOW_BIT = CHUNKS & -CHUNKS, SPREAD = LOW_BIT < 8 ? LOW_BIT : 8;
    static_assert(COLUMNS % 16 == 0, "");

    static __device__ __forceinline__ int swizzle(int row) { return row % 8 / (8 / SPREAD); }
    /* The place of a chunk, in values; `swizzled` is its row's swizzle. */
    static __device__ __forceinline__ int at(int row, int chunk, int swizzled) { return (row * CHUNKS + (chunk ^ swizzled)) * 8; }
};

/* Begins to copy ROWS rows of one head into a tile: rows from `first` on, those beyond n_rows and chunks beyond
 * n_chunks as zeros: a copy of no bytes leaves its address alone. 8 threads or more share a row. */
template <int COLUMNS, int ROWS, int THREADS, class T>
__device__ __forceinline__ void load_tile(T *to, const T *from, int ld, int first, int n_rows, int n_chunks, int thread) {
    constexpr int LANES = THREADS / ROWS > 8 ? THREADS / ROWS : 8, STEP = THREADS / LANES;
    static_assert(ROWS % STEP == 0, "");
    const int row0 = thread / LANES, chunk0 = thread % LANES;
    EACH for (int c = 0; c < COLUMNS / 8; c += LANES) {
        int chunk = chunk0 + c;
        if (COLUMNS / 8 % LANES && chunk >= COLUMNS / 8) continue;
        const T *source = from + (int64_t)(first + row0) * ld + chunk * 8;
        EACH for (int r = 0; r < ROWS; r += STEP, source += STEP * ld) {
            int row = row0 + r, swizzled = tile<COLUMNS>::swizzle(STEP % 8 ? row : row0);
            cp_async16(to + tile<COLUMNS>::at(row, chunk, swizzled), source, first + row < n_rows && chunk < n_chunks);
        }
    }
}

/* ---- fragments: which rows and columns a lane holds is said at mma_16816 ----------------------------------------- */

/* Rows [row, row + 16), chunks [chunk, chunk + 2) as the left operand. */
template <int COLUMNS, class T> __device__ __forceinline__ void load_left(uint32_t (&a)[4], const T *t, int row, int chunk, int lane) {
    ldmatrix<4, false>(a, t + tile<COLUMNS>::at(row + lane % 16, chunk + lane / 16, tile<COLUMNS>::swizzle(lane)));
}
/* 16 keys, 16 columns of K: the right operand of q kᵀ for keys [key, key + 8) and the 8 after them. */
template <int COLUMNS, class T>
__device__ __forceinline__ void load_keys(uint32_t (&b0)[2], uint32_t (&b1)[2], const T *t, int key, int chunk, int lane) {
    uint32_t r[4];
    int row = key + lane / 16 * 8 + lane % 8;
    ldmatrix<4, false>(r, t + tile<COLUMNS>::at(row, chunk + lane / 8 % 2, tile<COLUMNS>::swizzle(lane)));
    b0[0] = r[0], b0[1] = r[1], b1[0] = r[2], b1[1] = r[3];
}
/* 16 keys, 16 columns of V: the right operand of p v for columns of chunk and of chunk + 1. */
template <int COLUMNS, class T>
__device__ __forceinline__ void load_values(uint32_t (&b0)[2], uint32_t (&b1)[2], const T *t, int key, int chunk, int lane) {
    uint32_t r[4];
    ldmatrix<4, true>(r, t + tile<COLUMNS>::at(key + lane % 16, chunk + lane / 16, tile<COLUMNS>::swizzle(lane)));
    b0[0] = r[0], b0[1] = r[1], b1[0] = r[2], b1[1] = r[3];
}
template <int COLUMNS, class T> __device__ __forceinline__ void load_values(uint32_t (&b)[2], const T *t, int key, int chunk, int lane) {
    ldmatrix<2, true>(b, t + tile<COLUMNS>::at(key + lane % 16, chunk, tile<COLUMNS>::swizzle(lane)));
}

/* Two neighbouring tiles of scores, now probabilities, as the left operand of p v: 16 rows, 16 keys. */
template <class T> __device__ __forceinline__ void pack_left(uint32_t (&a)[4], const float (&p0)[4], const float (&p1)[4]) {
    a[0] = pack2<T>(p0[0], p0[1]), a[1] = pack2<T>(p0[2], p0[3]);
    a[2] = pack2<T>(p1[0], p1[1]), a[3] = pack2<T>(p1[2], p1[3]);
}

/* o [16 rows, 8 N columns] += p v over the 16 keys from `key` on. */
template <int COLUMNS, int N, int M, class T>
__device__ __forceinline__ void add_values(float (&o)[M][N][4], const uint32_t (&p)[M][4], const T *v, int key, int chunk, int lane) {
    EACH for (int n = 0; n + 1 < N; n += 2) {
        uint32_t b0[2], b1[2];
        load_values<COLUMNS>(b0, b1, v, key, chunk + n, lane);
        EACH for (int m = 0; m < M; m++) mma_16816<T>(o[m][n], p[m], b0), mma_16816<T>(o[m][n + 1], p[m], b1);
    }
    if constexpr (N % 2) {
        uint32_t b[2];
        load_values<COLUMNS>(b, v, key, chunk + N - 1, lane);
        EACH for (int m = 0; m < M; m++) mma_16816<T>(o[m][N - 1], p[m], b);
    }
}

/* ---- softmax: a lane holds rows g and g + 8 of a 16-row tile, scores [j][0..1] and [j][2..3] --------------------- */

__device__ __forceinline__ float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}
__device__ __forceinline__ float quad_sum(float x) {
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}

/* Scores of keys the row does not see become -inf: s begins at key `first`. */
template <int N> __device__ __forceinline__ void mask_scores(float (&s)[N][4], int half, int first, int n_seen, int lane) {
    EACH for (int j = 0; j < N; j++) EACH for (int i = 0; i < 2; i++) if (first + j * 8 + lane % 4 * 2 + i >= n_seen) s[j][2 * half + i] =
        -INFINITY;
}

template <int N> __device__ __forceinline__ float row_max(const float (&s)[N][4], int half, float top) {
    EACH for (int j = 0; j < N; j++) top = fmaxf(top, fmaxf(s[j][2 * half], s[j][2 * half + 1]));
    return top;
}

/* 2^x without the unit that exp2_approx waits for, x below 127: x = n + f with n the integer nearest to x, 2^n from n + 127 as an
 * exponent, 2^f by a polynomial of which p(0) = 1 and the largest relative error for |f| <= 1/2 is least (Cody and Waite 1980; for
 * attention: FlashAttention-4, Zadouri et al. 2026, arXiv 2603.05451). Largest relative error, with that of f32, and of half a unit in the
 * last place of a P:
 *
 *     DEGREE 3    1.02e-4    1/19 of bf16's
 *     DEGREE 4    3.0e-6     1/81 of f16's
 *
 * Integers are exact; below -126.5 it is 0, a NaN stays. */
template <int DEGREE> __device__ __forceinline__ float exp2_polynomial(float x) {
    static_assert(DEGREE == 3 || DEGREE == 4, "");
    constexpr float TO_INTEGER = 0x1.8p23f + 127; /* x + this has the last place 1: its low bits are n + 127 */
    x = max_nan(x, -127.0f);
    float shifted = x + TO_INTEGER, f = x - (shifted - TO_INTEGER), p;
    if constexpr (DEGREE == 3) {
        p = fmaf(0x1.c2a218p-5f, f, 0x1.f00c4ep-3f);
        p = fmaf(p, f, 0x1.62f5fap-1f);
    } else {
        p = fmaf(0x1.3a1804p-7f, f, 0x1.c9fcb2p-5f);
        p = fmaf(p, f, 0x1.ec0326p-3f);
        p = fmaf(p, f, 0x1.62e12cp-1f);
    }
    return fmaf(p, f, 1.0f) * __uint_as_float(__float_as_uint(shifted) << 23); /* a sum of integers would make a number of a NaN */
}

/* s = 2^(scale (s - top)), by one multiply-add each where its rounding of scale * top (2^-14 at most) does no harm;
 * returns the lane's sum. fmaxf has passed over a NaN in s, but here it comes out, and in the sum. POLYNOMIAL of 16
 * neighbours, as far apart as they can be, are exp2_polynomial's. */
template <int POLYNOMIAL = 0, int DEGREE = 4, int N>
__device__ __forceinline__ float exponentials(float (&s)[N][4], int half, float top, float scale) {
    float shift = top * scale, sum = 0;
    if (fabsf(shift) > 1024) {
        EACH for (int j = 0; j < N; j++) s[j][2 * half] -= top, s[j][2 * half + 1] -= top;
        shift = 0;
    }
    EACH for (int j = 0; j < N; j++) EACH for (int i = 0; i < 2; i++) {
        float x = fmaf(s[j][2 * half + i], scale, -shift);
        sum += s[j][2 * half + i] = (2 * j + i) * POLYNOMIAL % 16 < POLYNOMIAL ? exp2_polynomial<DEGREE>(x) : exp2_approx(x);
    }
    return sum;
}

/* ---- the way out ------------------------------------------------------------------------------------------------- */

/* 16 rows of o, times `inverse` [half], into a tile: each 8 columns one chunk. */
template <int COLUMNS, int N, class T>
__device__ __forceinline__ void stage_output(T *t, const float (&o)[N][4], int row, int chunk, const float (&inverse)[2], int lane) {
    EACH for (int n = 0; n < N; n++) EACH for (int half = 0; half < 2; half++) {
        uint32_t pair = pack2<T>(o[n][2 * half] * inverse[half], o[n][2 * half + 1] * inverse[half]);
        T *at = t + tile<COLUMNS>::at(row + lane / 4 + 8 * half, chunk + n, tile<COLUMNS>::swizzle(lane / 4));
        *reinterpret_cast<uint32_t *>(at + lane % 4 * 2) = pair;
    }
}

/* A warp's rows [row, row + ROWS) of a tile, chunks [chunk, n_chunks), at most MOST of them, to rows from `first` on of y. */
template <int COLUMNS, int ROWS, int MOST, class T>
__device__ __forceinline__ void store_rows(T *y, int ld, int first, int n_rows, const T *t, int row, int chunk, int n_chunks, int lane) {
    for (int r = lane / 8; r < ROWS && first + r < n_rows; r += 4)
        for (int c = chunk + lane % 8; c < chunk + MOST && c < n_chunks; c += 8) {
            const T *from = t + tile<COLUMNS>::at(row + r, c, tile<COLUMNS>::swizzle(row + r));
            *reinterpret_cast<vec16<T> *>(y + (int64_t)(first + r) * ld + c * 8) = *reinterpret_cast<const vec16<T> *>(from);
        }
}

#endif
