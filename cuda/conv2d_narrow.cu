/* 3x3 convolutions to few channels, the last of a UNet or VAE: up to 8 of them. As a product they would read every pixel nine times and
 * fill a small part of a tile of columns; here a block has 8 x 16 pixels of y, and what they see of x, a rim of one pixel with them,
 * comes to shared memory once, 32 channels at a time, the next while these are worked on.
 *
 * A warp owns two rows of 16 pixels: for each tap ldmatrix takes their pixels of x from where the tap lies, and the 8 columns' weights;
 * mma.sync m16n8k16 accumulates in f32. 64 bytes of a pixel, chunks permuted as in gemm.cuh.
 *
 * Not measured on a GPU yet. */
#include "cuda/gemm.cuh"

constexpr int ROWS = 8, COLUMNS = 16, WARPS = 4, THREADS = WARPS * 32, WIDE = COLUMNS + 2, SEEN = (ROWS + 2) * WIDE, TAPS = 9, OUTPUTS = 8;

template <class T> __global__ void __launch_bounds__(THREADS) conv2d_narrow(const struct gemm g) {
    constexpr int CHUNKS = GEMM_K / 8, STAGE = (SEEN + TAPS * OUTPUTS) * GEMM_K;
    DYNAMIC_SHARED(T, tiles);
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int x0 = blockIdx.x * COLUMNS, y0 = blockIdx.y * ROWS, image = blockIdx.z;
    const T *x = static_cast<const T *>(g.x), *w = static_cast<const T *>(g.w);

    auto load = [&](int c, int stage) {
        T *to = tiles + stage * STAGE;
        for (int i = thread; i < SEEN * CHUNKS; i += THREADS) {
            int pixel = i / CHUNKS, chunk = i % CHUNKS, y = y0 + pixel / WIDE - 1, xx = x0 + pixel % WIDE - 1;
            bool inside = (unsigned)y < (unsigned)g.H && (unsigned)xx < (unsigned)g.W && c + chunk * 8 < g.C;
            int64_t at = inside ? ((int64_t)(image * g.H + y) * g.W + xx) * g.ldx + c + chunk * 8 : 0;
            cp_async16(to + gemm_at(pixel, chunk), x + at, inside);
        }
        to += SEEN * GEMM_K;
        for (int i = thread; i < TAPS * OUTPUTS * CHUNKS; i += THREADS) { /* row: tap, column of y */
            int row = i / CHUNKS, chunk = i % CHUNKS, tap = row / OUTPUTS, n = row % OUTPUTS;
            bool inside = n < g.N && c + chunk * 8 < g.C;
            cp_async16(to + gemm_at(row, chunk), inside ? w + n * g.w_row + tap * g.w_tap + c + chunk * 8 : w, inside);
        }
        cp_async_commit();
    };

    float sum[2][4] = {};
    after_previous();
    load(0, 0);
    for (int c = 0, stage = 0; c < g.C; c += GEMM_K, stage ^= 1) {
        cp_async_wait<0>();
        __syncthreads(); /* these channels have come, and nobody reads the other half any more */
        if (c + GEMM_K < g.C) load(c + GEMM_K, stage ^ 1);
        const T *seen = tiles + stage * STAGE, *weights = seen + SEEN * GEMM_K;
#pragma unroll
        for (int tap = 0; tap < TAPS; tap++) {
            uint32_t b[4]; /* columns of y; four times 8 channels */
            ldmatrix<4, false>(b, weights + gemm_at(tap * OUTPUTS + lane % 8, lane / 8));
            const uint32_t b0[2] = {b[0], b[1]}, b1[2] = {b[2], b[3]};
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int pixel = (warp * 2 + i + tap / 3) * WIDE + lane % 16 + tap % 3;
                uint32_t a[4];
                ldmatrix<4, false>(a, seen + gemm_at(pixel, lane / 16));
                mma_16816<T>(sum[i], a, b0);
                ldmatrix<4, false>(a, seen + gemm_at(pixel, 2 + lane / 16));
                mma_16816<T>(sum[i], a, b1);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int k = 0; k < 4; k++) {
            int y = y0 + warp * 2 + i, xx = x0 + lane / 4 + k / 2 * 8, n = lane % 4 * 2 + k % 2;
            if (y < g.Ho && xx < g.Wo && n < g.N) finish1<T>(g, (image * g.Ho + y) * g.Wo + xx, n, sum[i][k], 0);
        }
}

bool conv2d_narrow_fits(const struct gemm *g) {
    return g->N <= OUTPUTS && g->phases == 1 && g->R == 3 && g->stride == 1 && g->upsample == 1 && g->top == 1 && g->left == 1 &&
           g->Ho == g->H && g->Wo == g->W && ceil_div(g->H, ROWS) <= UINT16_MAX && g->M / (g->H * g->W) <= UINT16_MAX;
}

void conv2d_narrow(struct cuda_device *dev, const struct gemm *g) {
    dim3 grid((unsigned)ceil_div(g->W, COLUMNS), (unsigned)ceil_div(g->H, ROWS), (unsigned)(g->M / (g->H * g->W)));
    size_t bytes = 2 * (SEEN + TAPS * OUTPUTS) * GEMM_K * sizeof(f16);
    DISPATCH_HALF(g->dtype, T, launch(dev, conv2d_narrow<T>, grid, dim3(THREADS), bytes, *g));
}
