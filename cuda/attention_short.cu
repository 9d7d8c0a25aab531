/* Attention to few keys (a text of 77 tokens, the 8x8 level): the keys and values of a head lie whole in shared memory, so that one
 * softmax over all scores of a query will do. What is left to do is little: the op reads q and writes y once, and that is its time.
 *
 * A block serves one head. Its warps, once keys and values have come, work on 16 queries at a time by themselves; q comes and y
 * goes through 16 rows of shared memory that belong to the warp, by 16 bytes a lane.
 *
 * Not measured on a GPU yet. */
#include "cuda/attention.h"

enum { WARPS = 4, THREADS = WARPS * 32, KEYS = 96, BLOCKS_PER_SM = 4 };

template <int D> constexpr size_t short_shared_bytes = (size_t)padded<D> * 2 * (2 * KEYS + 16 * WARPS);

template <class T, int D> __global__ void __launch_bounds__(THREADS) attend_short(attention_args a) {
    constexpr int COLUMNS = padded<D>;
    DYNAMIC_SHARED(T, k_tile);
    T *v_tile = k_tile + KEYS * COLUMNS;
    const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32, n_chunks = a.D / 8;
    T *own = v_tile + (KEYS + 16 * warp) * COLUMNS;
    const T *q = head_rows<T>(a.q, a.n_heads, a.D);
    after_previous();
    load_tile<COLUMNS, KEYS, THREADS>(k_tile, head_rows<T>(a.k, a.n_heads, a.D), a.k.ld, 0, a.Tk, n_chunks, thread);
    load_tile<COLUMNS, KEYS, THREADS>(v_tile, head_rows<T>(a.v, a.n_heads, a.D), a.v.ld, 0, a.Tk, n_chunks, thread);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();

    for (int q0 = (blockIdx.x * WARPS + warp) * 16; q0 < a.Tq; q0 += gridDim.x * WARPS * 16) {
        load_tile<COLUMNS, 16, 32>(own, q, a.q.ld, q0, a.Tq, n_chunks, lane);
        cp_async_commit();
        cp_async_wait<0>();
        __syncwarp();

        float s[KEYS / 8][4] = {};
        EACH for (int i = 0; i < COLUMNS / 16; i++) {
            uint32_t left[4];
            load_left<COLUMNS>(left, own, 0, 2 * i, lane);
            EACH for (int j = 0; j < KEYS / 8; j += 2) if (j * 8 < a.Tk) {
                uint32_t b0[2], b1[2];
                load_keys<COLUMNS>(b0, b1, k_tile, j * 8, 2 * i, lane);
                mma_16816<T>(s[j], left, b0), mma_16816<T>(s[j + 1], left, b1);
            }
        }

        float inverse[2];
        EACH for (int half = 0; half < 2; half++) {
            mask_scores(s, half, 0, keys_seen(a, q0 + 8 * half + lane / 4), lane);
            float top = quad_max(row_max(s, half, -FLT_MAX));
            inverse[half] = 1 / quad_sum(exponentials(s, half, top, a.scale));
        }

        float o[1][D / 8][4] = {};
        EACH for (int j = 0; j < KEYS / 8; j += 2) if (j * 8 < a.Tk) {
            uint32_t p[1][4];
            pack_left<T>(p[0], s[j], s[j + 1]);
            add_values<COLUMNS>(o, p, v_tile, j * 8, 0, lane);
        }

        __syncwarp(); /* q has been read by all lanes */
        stage_output<COLUMNS>(own, o[0], 0, 0, inverse, lane);
        __syncwarp();
        store_rows<COLUMNS, 16, COLUMNS / 8>(head_rows<T>(a.y, a.n_heads, a.D), a.y.ld, q0, a.Tq, own, 0, 0, n_chunks, lane);
        __syncwarp(); /* before the next q comes */
    }
}

/* ---- which one --------------------------------------------------------------------------------------------------- */

template <class T, int D> static void launch_short(cuda_device *dev, const attention_args &a, int heads) {
    int64_t blocks = ceil_div(a.Tq, 16 * WARPS), enough = ceil_div((int64_t)BLOCKS_PER_SM * dev->sm_count, heads);
    dim3 grid((unsigned)(blocks < enough ? blocks : enough), (unsigned)heads);
    launch(dev, attend_short<T, D>, grid, THREADS, short_shared_bytes<D>, a);
}

template <class T> static bool pick_short(cuda_device *dev, const attention_args &a, int heads) {
    if (a.Tk > KEYS) return false;
    if (a.D <= 40) launch_short<T, 40>(dev, a, heads);
    else if (a.D <= 64) launch_short<T, 64>(dev, a, heads);
    else if (a.D <= 80) launch_short<T, 80>(dev, a, heads);
    else if (a.D <= 160) launch_short<T, 160>(dev, a, heads);
    else return false;
    return true;
}

bool attention_short(cuda_device *dev, const attention_args &a, int n_images) {
    bool done = false;
    DISPATCH_HALF(a.dtype, T, done = pick_short<T>(dev, a, n_images * a.n_heads));
    return done;
}
