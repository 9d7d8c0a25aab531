/* 3x3 convolutions of few channels, the first of a UNet or VAE: up to 4 of them. What 8 x 16 pixels of y see of x, a rim of one pixel with
 * them, comes to shared memory once, 4 channels a pixel, and so do the weights of 64 columns; tap and channel are one axis of 36 products,
 * 48 with zeros, so that mma.sync m16n8k16 does all of them in three steps where gemm_plain multiplies value by value.
 *
 * A warp owns two rows of 16 pixels. The two channels beside each other that a lane gives mma.sync lie beside each other here, wherever the
 * tap lies, and are read as they are. The sums pass through shared memory as in gemm.cuh, so that y is written by 16 bytes.
 *
 * Not measured on a GPU yet. */
#include "cuda/epilogue.cuh"

constexpr int ROWS = 8, COLUMNS = 16, WARPS = 4, THREADS = WARPS * 32, WIDE = COLUMNS + 2, SEEN = (ROWS + 2) * WIDE, TAPS = 9, CHANNELS = 4,
              OUTPUTS = 64, STEPS = 3;
constexpr int WEIGHTS = STEPS * 16 + 8; /* of a column, 28 words: eight columns fall into all banks */
constexpr int PITCH = OUTPUTS + 8;

template <class T> __global__ void __launch_bounds__(THREADS, 4) conv2d_first(const struct gemm g) {
    SHARED(T, seen, [SEEN * CHANNELS]);
    SHARED(T, weights, [OUTPUTS * WEIGHTS]);
    SHARED(float, slabs, [WARPS * 16 * PITCH]);
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, across = (g.W + COLUMNS - 1) / COLUMNS;
    const int x0 = (int)blockIdx.x % across * COLUMNS, n0 = (int)blockIdx.x / across * OUTPUTS, y0 = blockIdx.y * ROWS, image = blockIdx.z;
    const T *x = static_cast<const T *>(g.x), *w = static_cast<const T *>(g.w);

    after_previous();
    for (int i = thread; i < SEEN * CHANNELS; i += THREADS) {
        int pixel = i / CHANNELS, c = i % CHANNELS, y = y0 + pixel / WIDE - 1, xx = x0 + pixel % WIDE - 1;
        bool inside = (unsigned)y < (unsigned)g.H && (unsigned)xx < (unsigned)g.W && c < g.C;
        seen[i] = inside ? x[((int64_t)(image * g.H + y) * g.W + xx) * g.ldx + c] : from_f32<T>(0);
    }
    for (int i = thread; i < OUTPUTS * STEPS * 16; i += THREADS) {
        int n = i / (STEPS * 16), k = i % (STEPS * 16), tap = k / CHANNELS, c = k % CHANNELS;
        bool inside = n0 + n < g.N && tap < TAPS && c < g.C;
        weights[n * WEIGHTS + k] = inside ? w[(n0 + n) * g.w_row + tap * g.w_tap + c] : from_f32<T>(0);
    }
    __syncthreads();

    /* Rows lane/4 and lane/4 + 8 of A; of each step's columns, two from 2(lane%4), and two 8 further on: a tap's halves. */
    uint32_t a[2][STEPS][4];
#pragma unroll
    for (int step = 0; step < STEPS; step++)
#pragma unroll
        for (int k = 0; k < 4; k++) {
            int at = step * 16 + lane % 4 * 2 + k / 2 * 8, tap = at / CHANNELS;
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int pixel = (warp * 2 + i + tap / 3) * WIDE + lane / 4 + k % 2 * 8 + tap % 3;
                a[i][step][k] = tap < TAPS ? *reinterpret_cast<const uint32_t *>(seen + pixel * CHANNELS + at % CHANNELS) : 0;
            }
        }
    float sum[2][OUTPUTS / 8][4] = {};
#pragma unroll
    for (int j = 0; j < OUTPUTS / 8; j++) {
        if (n0 + j * 8 >= g.N) break;
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            const T *from = weights + (j * 8 + lane / 4) * WEIGHTS + step * 16 + lane % 4 * 2;
            const uint32_t b[2] = {*reinterpret_cast<const uint32_t *>(from), *reinterpret_cast<const uint32_t *>(from + 8)};
#pragma unroll
            for (int i = 0; i < 2; i++) mma_16816<T>(sum[i][j], a[i][step], b);
        }
    }

    float *slab = slabs + warp * 16 * PITCH;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        __syncwarp();
#pragma unroll
        for (int j = 0; j < OUTPUTS / 8; j++) {
            float *to = slab + lane / 4 * PITCH + j * 8 + lane % 4 * 2;
            *reinterpret_cast<float2 *>(to) = make_float2(sum[i][j][0], sum[i][j][1]);
            *reinterpret_cast<float2 *>(to + 8 * PITCH) = make_float2(sum[i][j][2], sum[i][j][3]);
        }
        __syncwarp();
        for (int e = lane; e < 16 * OUTPUTS / 8; e += 32) {
            int row = e / (OUTPUTS / 8), j = e % (OUTPUTS / 8) * 8, y = y0 + warp * 2 + i, xx = x0 + row, n = n0 + j;
            if (y >= g.Ho || xx >= g.Wo || n >= g.N) continue;
            int m = (image * g.Ho + y) * g.Wo + xx;
            finish8<T>(g, m, m, n, slab + row * PITCH + j, residual8<T>(g, m, n));
        }
    }
}

bool conv2d_first_fits(const struct cuda_device *dev, const struct gemm *g) {
    return has_tensor_path(dev, g->dtype) && g->C <= CHANNELS && g->phases == 1 && g->R == 3 && g->stride == 1 && g->upsample == 1 &&
           g->top == 1 && g->left == 1 && g->Ho == g->H && g->Wo == g->W && ceil_div(g->H, ROWS) <= UINT16_MAX &&
           g->M / (g->H * g->W) <= UINT16_MAX;
}

void conv2d_first(struct cuda_device *dev, const struct gemm *g) {
    dim3 grid((unsigned)(ceil_div(g->W, COLUMNS) * ceil_div(g->N, OUTPUTS)), (unsigned)ceil_div(g->H, ROWS),
              (unsigned)(g->M / (g->H * g->W)));
    DISPATCH_HALF(g->dtype, T, launch(dev, conv2d_first<T>, grid, dim3(THREADS), 0, *g));
}
