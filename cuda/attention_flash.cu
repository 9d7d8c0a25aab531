/* Attention without the T x T matrix (Dao et al. 2022; Dao 2023) on tensor cores. A warp owns 16 M queries and runs through the
 * keys KEYS at a time, keeping each query's largest score, its sum of exponentials and its sum of values so far:
 *
 *     S = Q Kᵀ      top' = max(top, S)      P = 2^(scale (S - top'))
 *     a = 2^(scale (top - top'))      sum = a sum + ΣP      O = a O + P V      y = O / sum
 *
 * top' stays top, and a 1, until a score of the warp's is larger by 2^8 in P: y is the same, and after the first tile that is rare.
 *
 * S turns into P, the left operand of P V, in the registers it lies in. Q is read once and stays in registers, unless the head is
 * too wide for that. While a tile of keys and values is worked on, the next one is on its way into the other half of shared
 * memory: one barrier a tile.
 *
 * At D = 40 and 64 the exponentials bind as much as the products do: one multiply-add, one exponential, one maximum, one addition
 * and half a conversion for each score. With M = 2 a fragment of K or V serves two products, which halves what is read of shared
 * memory; with M = 1 there are twice the blocks, for the levels of few pixels.
 *
 * Not measured on a GPU yet. */
#include "cuda/attention.h"

enum { WARPS = 4, THREADS = WARPS * 32 };

/* Of 16 exponentials so many are exp2_polynomial's, on the pipes of multiply-adds: more instructions, fewer for the unit of exponentials.
 * Whether that pays only a GPU can say (bench/kernels.md); bench/attention.c measures it. */
#ifndef FLASH_POLYNOMIAL
#define FLASH_POLYNOMIAL 0
#endif

template <int D, int M, int KEYS, bool KEEP_Q> constexpr size_t flash_shared_bytes() {
    return (size_t)padded<D> * 2 * (4 * KEYS + (KEEP_Q ? 0 : 16 * M * WARPS));
}

/* Blocks that an SM of 64 Ki registers shall hold. */
template <int D, int M> constexpr int flash_blocks = M == 2 || D > 80 ? 2 : D > 40 ? 3 : 4;

template <class T, int D, int M, int KEYS, bool KEEP_Q>
__global__ void __launch_bounds__(THREADS, flash_blocks<D, M>) flash(attention_args a) {
    constexpr int COLUMNS = padded<D>, STEPS = COLUMNS / 16, ROWS = 16 * M * WARPS, SIZE = KEYS * COLUMNS;
    constexpr int DEGREE = std::is_same_v<T, f16> ? 4 : 3;
    static_assert(ROWS <= 2 * KEYS, "Q on its way to registers, and y on its way out, use the space of one half, of both");
    DYNAMIC_SHARED(T, shared);
    T *q_tile = KEEP_Q ? shared + 2 * SIZE : shared + 4 * SIZE;
    const int thread = threadIdx.x, lane = thread % 32, row = thread / 32 * 16 * M;
    const int q0 = blockIdx.x * ROWS, n_chunks = a.D / 8, n_keys = keys_seen(a, q0 + ROWS - 1);
    const T *k = head_rows<T>(a.k, a.n_heads, a.D), *v = head_rows<T>(a.v, a.n_heads, a.D);

    auto load = [&](int t) {
        T *to = shared + t % 2 * 2 * SIZE;
        load_tile<COLUMNS, KEYS, THREADS>(to, k, a.k.ld, t * KEYS, a.Tk, n_chunks, thread);
        load_tile<COLUMNS, KEYS, THREADS>(to + SIZE, v, a.v.ld, t * KEYS, a.Tk, n_chunks, thread);
        cp_async_commit();
    };
    after_previous();
    load_tile<COLUMNS, ROWS, THREADS>(q_tile, head_rows<T>(a.q, a.n_heads, a.D), a.q.ld, q0, a.Tq, n_chunks, thread);
    load(0);

    uint32_t q[M][KEEP_Q ? STEPS : 1][4];
    if constexpr (KEEP_Q) {
        cp_async_wait<0>();
        __syncthreads();
        EACH for (int m = 0; m < M; m++) EACH for (int i = 0; i < STEPS; i++)
            load_left<COLUMNS>(q[m][i], q_tile, row + 16 * m, 2 * i, lane);
    }

    /* P up to 2^8: as exact as up to 1 in both 16-bit types, and far from f16's largest. */
    const float most_rise = 8 / a.scale;
    float o[M][D / 8][4] = {}, top[M][2], sum[M][2] = {};
    EACH for (int m = 0; m < M; m++) top[m][0] = top[m][1] = -FLT_MAX;

    for (int t = 0, n_tiles = (n_keys + KEYS - 1) / KEYS; t < n_tiles; t++) {
        cp_async_wait<0>();
        __syncthreads(); /* tile t has come, and nobody reads the other half any more */
        if (t + 1 < n_tiles) load(t + 1);
        const T *k_tile = shared + t % 2 * 2 * SIZE, *v_tile = k_tile + SIZE;

        float s[M][KEYS / 8][4] = {};
#pragma unroll KEEP_Q ? STEPS : 2
        for (int i = 0; i < STEPS; i++) {
            if constexpr (!KEEP_Q)
                for (int m = 0; m < M; m++) load_left<COLUMNS>(q[m][0], q_tile, row + 16 * m, 2 * i, lane);
            EACH for (int j = 0; j < KEYS / 8; j += 2) {
                uint32_t b0[2], b1[2];
                load_keys<COLUMNS>(b0, b1, k_tile, j * 8, 2 * i, lane);
                EACH for (int m = 0; m < M; m++) {
                    mma_16816<T>(s[m][j], q[m][KEEP_Q ? i : 0], b0);
                    mma_16816<T>(s[m][j + 1], q[m][KEEP_Q ? i : 0], b1);
                }
            }
        }

        bool all_seen = (t + 1) * KEYS <= keys_seen(a, q0), rises = false;
        float larger[M][2];
        EACH for (int m = 0; m < M; m++) EACH for (int half = 0; half < 2; half++) {
            int i = q0 + row + 16 * m + 8 * half + lane / 4;
            if (!all_seen) mask_scores(s[m], half, t * KEYS, keys_seen(a, i), lane);
            larger[m][half] = row_max(s[m], half, top[m][half]);
            rises |= larger[m][half] - top[m][half] > most_rise;
        }
        if (__any_sync(~0u, rises)) {
            EACH for (int m = 0; m < M; m++) EACH for (int half = 0; half < 2; half++) {
                float before = top[m][half];
                top[m][half] = quad_max(larger[m][half]);
                float alpha = exp2_approx((before - top[m][half]) * a.scale);
                sum[m][half] *= alpha;
                EACH for (int n = 0; n < D / 8; n++) o[m][n][2 * half] *= alpha, o[m][n][2 * half + 1] *= alpha;
            }
        }
        EACH for (int m = 0; m < M; m++) EACH for (int half = 0; half < 2; half++) {
            sum[m][half] += exponentials<FLASH_POLYNOMIAL, DEGREE>(s[m], half, top[m][half], a.scale);
        }

        EACH for (int j = 0; j < KEYS / 8; j += 2) {
            uint32_t p[M][4];
            EACH for (int m = 0; m < M; m++) pack_left<T>(p[m], s[m][j], s[m][j + 1]);
            add_values<COLUMNS>(o, p, v_tile, j * 8, 0, lane);
        }
    }

    let_next_begin();
    __syncthreads(); /* keys and values have been used: their space takes y, each warp's rows apart */
    EACH for (int m = 0; m < M; m++) {
        float inverse[2] = {1 / quad_sum(sum[m][0]), 1 / quad_sum(sum[m][1])};
        stage_output<COLUMNS>(shared, o[m], row + 16 * m, 0, inverse, lane);
    }
    __syncwarp();
    T *y = head_rows<T>(a.y, a.n_heads, a.D);
    store_rows<COLUMNS, 16 * M, COLUMNS / 8>(y, a.y.ld, q0 + row, a.Tq, shared, row, 0, n_chunks, lane);
}

/* ---- which one --------------------------------------------------------------------------------------------------- */

struct flash_kernel {
    int D, rows; /* heads up to this wide; queries of a block */
    size_t shared_bytes;
    void (*kernel)(attention_args a);
};

#define FLASH(D, M, KEYS, KEEP_Q) \
    { D, 16 * (M)*WARPS, flash_shared_bytes<D, M, KEYS, KEEP_Q>(), flash<T, D, M, KEYS, KEEP_Q> }

/* By width; of one width, the larger block first. */
enum { N_KERNELS = 9 };
template <class T> static const flash_kernel *flash_kernels() {
    static const flash_kernel kernels[N_KERNELS] = {
        FLASH(40, 2, 64, true), FLASH(40, 1, 64, true),  FLASH(64, 2, 64, true),  FLASH(64, 1, 64, true),   FLASH(80, 2, 64, true),
        FLASH(80, 1, 64, true), FLASH(128, 1, 64, true), FLASH(160, 1, 64, true), FLASH(256, 1, 32, false),
    };
    return kernels;
}

bool attention_flash(cuda_device *dev, const attention_args &a, int n_images) {
    const flash_kernel *kernels = a.dtype == DT_F16 ? flash_kernels<f16>() : flash_kernels<bf16>();
    int i = 0;
    while (i < N_KERNELS && kernels[i].D < a.D) i++;
    if (i == N_KERNELS) return false;
    int64_t heads = (int64_t)n_images * a.n_heads;
    bool smaller = i + 1 < N_KERNELS && kernels[i + 1].D == kernels[i].D;
    bool few = ceil_div(a.Tq, kernels[i].rows) * heads < 2 * dev->sm_count;
    if (smaller && (cuda_forced.flash ? cuda_forced.flash == FLASH_SMALL : few)) i++;
    launch(dev, kernels[i].kernel, dim3((unsigned)ceil_div(a.Tq, kernels[i].rows), (unsigned)heads), THREADS, kernels[i].shared_bytes, a);
    return true;
}
