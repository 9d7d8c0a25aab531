/* The one main loop of the tensor-core path: a block computes a BM x BN tile of the sums of gemm.h, in warps of WM x WN.
 *
 * Both operands are read along K: rows of x gathered pixel by pixel, 32 channels at a time, tap after tap, and rows of w, as they lie.
 * They go to shared memory by cp.async, GEMM_STAGES steps in flight, 64 bytes of a row per step, the four 16-byte chunks of a row
 * permuted so that ldmatrix, which reads one chunk of eight consecutive rows at once, and cp.async, which writes four of eight
 * rows, touch every bank equally. mma.sync m16n8k16 accumulates in f32 registers.
 *
 * The sums then pass through shared memory once more, 16 rows of a warp at a time, so that y, bias, temb and residual are read and written
 * by 16 bytes; or, where K is split over blocks, they are stored as partial sums. Those gemm_reduce finishes, or, where a tile's blocks are
 * a cluster, they themselves, each its share of the tile: the same additions in the same order.
 *
 * A main loop of wgmma and TMA for sm_90 belongs beside gemm_tile, in gemm.cu's choice of kernel: same arguments, same finish8().
 *
 * Not measured on a GPU yet. */
#ifndef CUDA_GEMM_CUH
#define CUDA_GEMM_CUH

#include "cuda/epilogue.cuh"

constexpr int GEMM_STAGES = 4, GEMM_CHUNKS = GEMM_K / 8;

/* Blocks that an SM of 64 Ki registers shall hold. */
template <int BM, int BN> constexpr int gemm_blocks = BM *BN >= 256 * 128 ? 1 : BM *BN >= 128 * 128 ? 2 : 4;

template <int BM, int BN> constexpr size_t gemm_shared_bytes() {
    return GEMM_STAGES * (BM + BN) * GEMM_K * sizeof(f16) + BM * sizeof(gemm_row);
}

/* Where 16-byte chunk `chunk` of row `row` lies, in elements. */
__device__ __forceinline__ int gemm_at(int row, int chunk) {
    return row * GEMM_K + ((chunk ^ (row >> 1 & 3)) * 8);
}

/* Blocks in order go down eight tiles, then right: those that run at once share rows of both operands in L2. */
__device__ __forceinline__ void gemm_tile_of(int block, int tiles_m, int tiles_n, int *tile_m, int *tile_n) {
    int group = block / (8 * tiles_n), first = group * 8, rows = min(8, tiles_m - first), at = block - first * tiles_n;
    *tile_n = at / rows;
    *tile_m = first + at - *tile_n * rows;
}

/* Fragments of 16 of a step's columns. A, B: the chunk this lane gives ldmatrix of the first 16 rows; the others lie 16 rows further each,
 * permuted alike. */
template <int WM, int WN, class T>
__device__ __forceinline__ void gemm_fragments(uint32_t (&a)[WM / 16][4], uint32_t (&b)[WN / 8][2], const T *A, const T *B) {
#pragma unroll
    for (int i = 0; i < WM / 16; i++) ldmatrix<4, false>(a[i], A + i * 16 * GEMM_K);
#pragma unroll
    for (int j = 0; j < WN / 16; j++) {
        uint32_t pair[4];
        ldmatrix<4, false>(pair, B + j * 16 * GEMM_K);
        b[2 * j][0] = pair[0], b[2 * j][1] = pair[1];
        b[2 * j + 1][0] = pair[2], b[2 * j + 1][1] = pair[3];
    }
}

/* Columns j..j+7 of row m, which is y's row `to`, or, where interleaved, 8 values and 8 gates: the partial sums of all splits, in order,
 * and what follows. */
template <class T>
__device__ __forceinline__ void finish_parts(const struct gemm &g, const float *partial, int splits, int phase, int m, int to, int j) {
    int width = g.interleave ? 16 : 8;
    int64_t ld = (g.N + 7) / 8 * 8, rows = (int64_t)g.phases * g.M;
    const float *from = partial + ((int64_t)phase * g.M + m) * ld + j;
    float sums[16] = {};
    for (int s = 0; s < splits; s++, from += rows * ld) {
#pragma unroll
        for (int k = 0; k < 16; k += 4) {
            if (k >= width) break;
            float4 p = *reinterpret_cast<const float4 *>(from + k);
            sums[k] += p.x, sums[k + 1] += p.y, sums[k + 2] += p.z, sums[k + 3] += p.w;
        }
    }
    finish8<T>(g, m, to, j, sums, residual8<T>(g, to, j));
}

/* steps: GEMM_K products each, in all; blockIdx.y takes `steps_each` of them, of phase blockIdx.z. partial: NULL, or
 * [splits][phases][M][N up to 8]. meet: the splits are a cluster. */
template <class T, int BM, int BN, int WM, int WN>
__global__ void __launch_bounds__(BM / WM * (BN / WN) * 32, gemm_blocks<BM, BN>)
    gemm_tile(const struct gemm g, int steps, int steps_each, float *partial, bool meet) {
    constexpr int THREADS = BM / WM * (BN / WN) * 32, ROWS = THREADS / GEMM_CHUNKS; /* loaded at once */
    constexpr int A_LOADS = BM / ROWS, B_LOADS = (BN + ROWS - 1) / ROWS, STAGE = (BM + BN) * GEMM_K;
    static_assert(BM % ROWS == 0 && (BN % ROWS == 0 || BN < ROWS) && WM % 16 == 0 && WN % 16 == 0, "");
    static_assert(THREADS / 32 * 16 * (WN + 8) * 4 <= GEMM_STAGES * STAGE * 2, "slabs of sums fit where the tiles were");
    DYNAMIC_SHARED(T, tiles);
    gemm_row *rows = reinterpret_cast<gemm_row *>(tiles + GEMM_STAGES * STAGE);

    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, phase = blockIdx.z, tile_m, tile_n;
    gemm_tile_of(blockIdx.x, (g.M + BM - 1) / BM, (g.N + BN - 1) / BN, &tile_m, &tile_n);
    int m0 = tile_m * BM, n0 = tile_n * BN;
    for (int i = thread; i < BM; i += THREADS) rows[i] = gemm_row_of(g, phase, m0 + i);
    __syncthreads();

    /* What this thread loads: one chunk of rows `row`, `row` + ROWS, … */
    int row = thread / GEMM_CHUNKS, chunk = thread % GEMM_CHUNKS, pixel[A_LOADS];
    const T *x = static_cast<const T *>(g.x) + chunk * 8;
    const T *w = static_cast<const T *>(g.w) + phase * g.w_phase + (n0 + row) * g.w_row + chunk * 8;
    int first = blockIdx.y * steps_each, last = min(steps, first + steps_each);
    int steps_tap = steps / (g.R * g.R), tap = first / steps_tap, r = tap / g.R, s = tap - r * g.R;
    int c = (first - tap * steps_tap) * GEMM_K;
    w += tap * g.w_tap;
    auto see_tap = [&] {
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) pixel[i] = gemm_pixel(g, rows[row + i * ROWS], r, s);
    };
    auto load = [&](unsigned stage) {
        T *A = tiles + stage * STAGE + gemm_at(row, chunk), *B = A + BM * GEMM_K;
        bool inside = c + chunk * 8 < g.C;
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) cp_async16(A + i * ROWS * GEMM_K, x + (pixel[i] * (int64_t)g.ldx + c), inside && pixel[i] >= 0);
#pragma unroll
        for (int i = 0; i < B_LOADS; i++)
            if (BN % ROWS == 0 || row < BN)
                cp_async16(B + i * ROWS * GEMM_K, w + (i * ROWS * g.w_row + c), inside && n0 + row + i * ROWS < g.N);
        c += GEMM_K;
        if (c >= g.C) {
            c = 0;
            w += g.w_tap;
            if (++s == g.R) s = 0, r++;
            see_tap();
        }
    };

    see_tap();
    after_previous();
    for (int i = 0; i < GEMM_STAGES - 1; i++) {
        if (first + i < last) load(i);
        cp_async_commit();
    }
    float sum[WM / 16][WN / 8][4] = {};
    int warp_m = warp / (BN / WN) * WM, warp_n = warp % (BN / WN) * WN, a_at[2], b_at[2];
#pragma unroll
    for (int half = 0; half < 2;
         half++) { /* matrices of ldmatrix: rows 0-7, 8-15 of A's left columns, then right; of B left, right, then down */
        a_at[half] = gemm_at(warp_m + lane % 16, half * 2 + lane / 16);
        b_at[half] = BM * GEMM_K + gemm_at(warp_n + lane / 16 * 8 + lane % 8, half * 2 + lane / 8 % 2);
    }
    for (unsigned step = first, stage = 0; step < (unsigned)last; step++, stage = (stage + 1) % GEMM_STAGES) {
        cp_async_wait<GEMM_STAGES - 2>();
        __syncthreads(); /* the step has come, for all; and all have left the stage that is loaded next */
        if (step + GEMM_STAGES - 1 < (unsigned)last) load((stage + GEMM_STAGES - 1) % GEMM_STAGES);
        cp_async_commit();
        const T *at = tiles + stage * STAGE;
        uint32_t a[2][WM / 16][4], b[2][WN / 8][2];
        gemm_fragments<WM, WN>(a[0], b[0], at + a_at[0], at + b_at[0]);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (half == 0) gemm_fragments<WM, WN>(a[1], b[1], at + a_at[1], at + b_at[1]);
#pragma unroll
            for (int i = 0; i < WM / 16; i++)
#pragma unroll
                for (int j = 0; j < WN / 8; j++) mma_16816<T>(sum[i][j], a[half][i], b[half][j]);
        }
    }
    let_next_begin();

    /* A slab of 16 rows is SLAB_ROUNDS times 8 columns of each lane. Its residual is on its way AHEAD rounds before. */
    constexpr int PITCH = WN + 8; /* 8 mod 32 or 24: a warp's pairs of sums fall into all banks */
    constexpr int SLAB_ROUNDS = WN / 16, ROUNDS = WM / 16 * SLAB_ROUNDS, AHEAD = 2;
    static_assert(ROUNDS % AHEAD == 0, "");
    float *slab = reinterpret_cast<float *>(tiles) + warp * 16 * PITCH;
    int partial_ld = (g.N + 7) / 8 * 8;
    auto place_of = [&](int round) { return round % SLAB_ROUNDS * 32 + lane; }; /* in the slab */
    auto row_of = [&](int round) { return m0 + warp_m + round / SLAB_ROUNDS * 16 + place_of(round) / (WN / 8); };
    auto column_of = [&](int round) { return n0 + warp_n + place_of(round) % (WN / 8) * 8; };
    auto to_of = [&](int m) { return gemm_output(g, rows[m - m0], phase, m); };
    /* A gate is finished with its value. */
    auto is_mine = [&](int m, int n) { return m < g.M && n < g.N && (partial || !g.interleave || n / 8 % 2 == 0); };
    vec<T, 8> residual[AHEAD] = {};
    auto fetch = [&](int round, int k) {
        int m = row_of(round), n = column_of(round);
        if (!partial && is_mine(m, n)) residual[k] = residual8<T>(g, to_of(m), n);
    };
#pragma unroll
    for (int k = 0; k < AHEAD; k++) fetch(k, k);
    __syncthreads(); /* the tiles have been used: their space takes the sums */
#pragma unroll 1
    for (int first_round = 0; first_round < ROUNDS; first_round += AHEAD) {
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            int round = first_round + k, m = row_of(round), n = column_of(round);
            if (round % SLAB_ROUNDS == 0) {
                __syncwarp();
#pragma unroll
                for (int j = 0; j < WN / 8; j++) {
                    float *to = slab + lane / 4 * PITCH + j * 8 + lane % 4 * 2;
                    *reinterpret_cast<float2 *>(to) = make_float2(sum[0][j][0], sum[0][j][1]);
                    *reinterpret_cast<float2 *>(to + 8 * PITCH) = make_float2(sum[0][j][2], sum[0][j][3]);
                }
                __syncwarp();
                /* The next 16 rows come to the front: an index that is no constant would send all to local memory. */
#pragma unroll
                for (int i = 0; i + 1 < WM / 16; i++)
#pragma unroll
                    for (int j = 0; j < WN / 8; j++)
#pragma unroll
                        for (int e = 0; e < 4; e++) sum[i][j][e] = sum[i + 1][j][e];
            }
            const float *sums = slab + place_of(round) / (WN / 8) * PITCH + place_of(round) % (WN / 8) * 8;
            if (is_mine(m, n) && partial) {
                float4 *to = reinterpret_cast<float4 *>(partial + ((blockIdx.y * (int64_t)g.phases + phase) * g.M + m) * partial_ld + n);
                to[0] = *reinterpret_cast<const float4 *>(sums), to[1] = *reinterpret_cast<const float4 *>(sums + 4);
            } else if (is_mine(m, n)) {
                finish8<T>(g, m, to_of(m), n, sums, residual[k]);
            }
            if (round + AHEAD < ROUNDS) fetch(round + AHEAD, k);
        }
    }
    if (!meet) return;

    cluster_barrier();
    for (int i = blockIdx.y * THREADS + thread; i < BM * (BN / 8); i += gridDim.y * THREADS) {
        int m = m0 + i / (BN / 8), n = n0 + i % (BN / 8) * 8;
        bool gate = g.interleave && n / 8 % 2;
        if (m < g.M && n < g.N && !gate) finish_parts<T>(g, partial, gridDim.y, phase, m, to_of(m), n);
    }
}

template <class T> __global__ void __launch_bounds__(256) gemm_reduce(const struct gemm g, const float *partial, int splits) {
    int width = g.interleave ? 16 : 8, columns = (g.N + 7) / 8 * 8 / width;
    after_previous();
    GRID_LOOP(i, (int64_t)g.phases * g.M * columns) {
        int row = (int)(i / columns), j = (int)(i - (size_t)row * columns) * width, phase = row / g.M, m = row - phase * g.M;
        finish_parts<T>(g, partial, splits, phase, m, gemm_output(g, gemm_row_of(g, phase, m), phase, m), j);
    }
}

#endif
