/* The problem of gemm.h for any shape, type and GPU: products in f32 on the ordinary units. A block of 256 threads computes a tile of
 * 16 TM x 16 TN sums, each thread TM x TN of them 16 rows and 16 columns apart, from 16 columns of both operands at a time in
 * shared memory. Tap and channel are one axis here, so that three or four channels waste nothing.
 *
 * Not measured on a GPU yet. */
#include "cuda/epilogue.cuh"

constexpr int THREADS = 256, DEPTH = 16;

/* Element k = tap*C + c of row m of A, row j of w. Thread t loads column t%16 of rows t/16, t/16 + 16, … */
template <class T, int TM, int TN> __global__ void __launch_bounds__(THREADS) gemm_plain_tile(const struct gemm g) {
    constexpr int BM = 16 * TM, BN = 16 * TN, PITCH = DEPTH + 1; /* odd: a column is read without bank conflicts */
    SHARED(float, A, [BM * PITCH]);
    SHARED(float, B, [BN * PITCH]);
    SHARED(float, sums, [BM * (BN + 1)]);

    int thread = threadIdx.x, column = thread % DEPTH, row = thread / DEPTH;
    int tiles_n = (g.N + BN - 1) / BN, m0 = blockIdx.x / tiles_n * BM, n0 = blockIdx.x % tiles_n * BN;
    const T *x = static_cast<const T *>(g.x), *w = static_cast<const T *>(g.w);
    gemm_row rows[TM];
#pragma unroll
    for (int i = 0; i < TM; i++) rows[i] = gemm_row_of(g, 0, m0 + row + 16 * i);

    float sum[TM][TN] = {};
    after_previous();
    for (int k0 = 0, K = g.R * g.R * g.C; k0 < K; k0 += DEPTH) {
        int k = k0 + column, tap = k / g.C, c = k - tap * g.C, r = tap / g.R, s = tap - r * g.R;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < TM; i++) {
            int pixel = k < K ? gemm_pixel(g, rows[i], r, s) : -1;
            A[(row + 16 * i) * PITCH + column] = pixel < 0 ? 0 : to_f32(x[pixel * (int64_t)g.ldx + c]);
        }
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int n = n0 + row + 16 * j;
            B[(row + 16 * j) * PITCH + column] = k < K && n < g.N ? to_f32(w[n * g.w_row + tap * g.w_tap + c]) : 0;
        }
        __syncthreads();
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
            float a[TM], b[TN];
#pragma unroll
            for (int i = 0; i < TM; i++) a[i] = A[(row + 16 * i) * PITCH + d];
#pragma unroll
            for (int j = 0; j < TN; j++) b[j] = B[(column + 16 * j) * PITCH + d];
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++) sum[i][j] += a[i] * b[j];
        }
    }

#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) sums[(row + 16 * i) * (BN + 1) + column + 16 * j] = sum[i][j];
    __syncthreads();
    for (int e = thread; e < BM * BN; e += THREADS) {
        int i = e / BN, j = e % BN, b = g.interleave, m = m0 + i, n = n0 + j;
        if (m >= g.M || n >= g.N || (b && n / b % 2)) continue;
        const float *at = sums + i * (BN + 1) + j;
        finish1<T>(g, m, n, at[0], b ? at[b] : 0);
    }
}

/* Few columns (the last convolution of a UNet or VAE) get a narrow tile. */
void gemm_plain(struct cuda_device *dev, const struct gemm *g) {
    if (g->N <= 16) DISPATCH(g->dtype, T, launch(dev, gemm_plain_tile<T, 8, 1>, dim3(ceil_div(g->M, 128)), dim3(THREADS), 0, *g));
    else DISPATCH(g->dtype, T, launch(dev, gemm_plain_tile<T, 4, 4>, dim3(ceil_div(g->M, 64) * ceil_div(g->N, 64)), dim3(THREADS), 0, *g));
}
