/* Attention with a head of up to 512 channels, as in the autoencoder: too many for one warp's registers, so the 8 warps of a block
 * share 32 queries. Of the scores of 64 keys each warp makes 16 x 16, of the result each has all 32 rows of 64 columns:
 *
 *     S [32, 64] = Q Kᵀ      by 2 x 4 warps      -> shared memory, as P          O [32, 512] += P V      by 1 x 8 warps
 *
 * The rest is as in attention_flash.cu. K and V come as one stream of slabs of the same size, 64 keys x 128 channels of K, 16 keys x
 * 512 channels of V, through a ring of RING slabs; a barrier for each. Two blocks fit a Hopper's SM, one any other's.
 *
 * Not measured on a GPU yet. */
#include "cuda/attention.h"

enum {
    WARPS = 8,
    THREADS = WARPS * 32,
    ROWS = 32,
    KEYS = 64,
    WIDTH = 512,
    RING = 3,
    K_SLABS = 4, /* of a tile of keys */
    V_SLABS = 4,
    K_WIDTH = WIDTH / K_SLABS,
    V_KEYS = KEYS / V_SLABS,
    SLAB = KEYS * K_WIDTH,
    COLUMN_WARPS = 4, /* that share a row of S */
    OWN = WIDTH / WARPS,
};
static_assert(SLAB == V_KEYS * WIDTH && V_KEYS == 16 && KEYS == 16 * COLUMN_WARPS && ROWS * WIDTH <= RING * SLAB, "");

static const size_t wide_shared_bytes = (ROWS * WIDTH + RING * SLAB + ROWS * KEYS) * 2;

/* Begins to copy slab i of the stream, or nothing beyond its end. */
template <class T>
static __device__ __forceinline__ void load_slab(T *ring, const attention_args &a, const T *k, const T *v, int i, int n_slabs) {
    T *to = ring + i % RING * SLAB;
    int part = i % (K_SLABS + V_SLABS), first = i / (K_SLABS + V_SLABS) * KEYS;
    if (i < n_slabs) {
        if (part < K_SLABS)
            load_tile<K_WIDTH, KEYS, THREADS>(to, k + part * K_WIDTH, a.k.ld, first, a.Tk, a.D / 8 - part * (K_WIDTH / 8), threadIdx.x);
        else load_tile<WIDTH, V_KEYS, THREADS>(to, v, a.v.ld, first + (part - K_SLABS) * V_KEYS, a.Tk, a.D / 8, threadIdx.x);
    }
    cp_async_commit(); /* an empty group where nothing is left: the wait counts groups */
}

template <class T> __global__ void __launch_bounds__(THREADS, 2) attend_wide(attention_args a) {
    DYNAMIC_SHARED(T, q_tile);
    T *ring = q_tile + ROWS * WIDTH, *p_tile = ring + RING * SLAB;
    SHARED(float, part_max, [COLUMN_WARPS][ROWS]);
    SHARED(float, part_sum, [COLUMN_WARPS][ROWS]);
    SHARED(float, alpha, [ROWS]);
    const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const int q0 = blockIdx.x * ROWS, row = warp / COLUMN_WARPS * 16, part = warp % COLUMN_WARPS; /* the warp's place in S */
    const int own = warp * (OWN / 8);                                                             /* its first chunk of O */
    const int n_tiles = (keys_seen(a, q0 + ROWS - 1) + KEYS - 1) / KEYS, n_slabs = n_tiles * (K_SLABS + V_SLABS);
    const T *k = head_rows<T>(a.k, a.n_heads, a.D), *v = head_rows<T>(a.v, a.n_heads, a.D);

    after_previous();
    load_tile<WIDTH, ROWS, THREADS>(q_tile, head_rows<T>(a.q, a.n_heads, a.D), a.q.ld, q0, a.Tq, a.D / 8, thread);
    for (int i = 0; i < RING - 1; i++) load_slab(ring, a, k, v, i, n_slabs);
    int slab = 0;
    auto next_slab = [&] {
        cp_async_wait<RING - 2>();
        __syncthreads(); /* this slab has come, and nobody reads the one before it any more */
        load_slab(ring, a, k, v, slab + RING - 1, n_slabs);
        return ring + slab++ % RING * SLAB;
    };

    float o[2][OWN / 8][4] = {}, top[2] = {-FLT_MAX, -FLT_MAX};
    for (int t = 0; t < n_tiles; t++) {
        float s[2][4] = {};
#pragma unroll 1
        for (int i = 0; i < K_SLABS; i++) {
            const T *k_slab = next_slab();
#pragma unroll 2
            for (int j = 0; j < K_WIDTH / 16; j++) {
                uint32_t q[4], b0[2], b1[2];
                load_left<WIDTH>(q, q_tile, row, i * (K_WIDTH / 8) + 2 * j, lane);
                load_keys<K_WIDTH>(b0, b1, k_slab, part * 16, 2 * j, lane);
                mma_16816<T>(s[0], q, b0), mma_16816<T>(s[1], q, b1);
            }
        }

        float most[2];
        EACH for (int half = 0; half < 2; half++) {
            int i = row + 8 * half + lane / 4;
            mask_scores(s, half, t * KEYS + part * 16, keys_seen(a, q0 + i), lane);
            most[half] = quad_max(row_max(s, half, top[half]));
            if (lane % 4 == 0) part_max[part][i] = most[half];
        }
        __syncthreads();
        EACH for (int half = 0; half < 2; half++) {
            int i = row + 8 * half + lane / 4;
            for (int w = 0; w < COLUMN_WARPS; w++) most[half] = fmaxf(most[half], part_max[w][i]);
            float shrink = exp2_approx((top[half] - most[half]) * a.scale);
            top[half] = most[half];
            float sum = quad_sum(exponentials(s, half, most[half], a.scale));
            if (lane % 4 == 0) part_sum[part][i] = t ? part_sum[part][i] * shrink + sum : sum;
            if (part == 0 && lane % 4 == 0) alpha[i] = shrink;
        }
        const float one[2] = {1, 1};
        stage_output<KEYS>(p_tile, s, row, part * 2, one, lane);

#pragma unroll 1
        for (int i = 0; i < V_SLABS; i++) {
            const T *v_slab = next_slab(); /* its barrier stands between P and alpha and their readers too */
            uint32_t p[2][4];
            EACH for (int m = 0; m < 2; m++) {
                load_left<KEYS>(p[m], p_tile, 16 * m, 2 * i, lane);
                if (i == 0) {
                    float low = alpha[16 * m + lane / 4], high = alpha[16 * m + 8 + lane / 4];
                    EACH for (int n = 0; n < OWN / 8; n++) o[m][n][0] *= low, o[m][n][1] *= low, o[m][n][2] *= high, o[m][n][3] *= high;
                }
            }
            add_values<WIDTH>(o, p, v_slab, 0, own, lane);
        }
    }

    cp_async_wait<0>();
    let_next_begin();
    __syncthreads(); /* the slabs have been used: their space takes y, each warp's columns apart */
    EACH for (int m = 0; m < 2; m++) {
        float inverse[2];
        EACH for (int half = 0; half < 2; half++) {
            float total = 0;
            for (int w = 0; w < COLUMN_WARPS; w++) total += part_sum[w][16 * m + 8 * half + lane / 4];
            inverse[half] = 1 / total;
        }
        stage_output<WIDTH>(ring, o[m], 16 * m, own, inverse, lane);
    }
    __syncwarp();
    store_rows<WIDTH, ROWS, OWN / 8>(head_rows<T>(a.y, a.n_heads, a.D), a.y.ld, q0, a.Tq, ring, 0, own, a.D / 8, lane);
}

bool attention_wide(cuda_device *dev, const attention_args &a, int n_images) {
    if (a.D > WIDTH) return false;
    dim3 grid((unsigned)ceil_div(a.Tq, ROWS), (unsigned)(n_images * a.n_heads));
    DISPATCH_HALF(a.dtype, T, launch(dev, attend_wide<T>, grid, THREADS, wide_shared_bytes, a));
    return true;
}
