/* Attention for any type, width, alignment and GPU, in f32 throughout: the path of f32 runs, which are for comparing, of GPUs before
 * sm_80 and of odd shapes. The tiles are those of a plain matrix product: a block owns 64 queries and 128 channels of the result, and
 * runs through the keys 64 at a time (see attention_flash.cu); the scores of a head wider than that are made once for every 128
 * channels.
 *
 * Not measured on a GPU yet. */
#include "cuda/attention.h"

enum {
    THREADS = 256, /* 16 x 16: thread (i, j) has rows i + 16.. and keys or channels j + 16.. */
    SIDE = 16,
    ROWS = 64,
    KEYS = 64,
    CHANNELS = 128, /* of the result */
    DEPTH = 32,     /* channels of q and k at a time */
    V_KEYS = 16,    /* keys of v at a time */
};

/* R rows from `first` on, W channels from d on, as f32; beyond n_rows and n_channels 0. */
template <int R, int W, int LD, class T>
static __device__ __forceinline__ void load_plain(float (&to)[R][LD], const T *from, size_t ld, int first, int n_rows, int d,
                                                  int n_channels) {
    for (int i = threadIdx.x; i < R * W; i += THREADS) {
        int r = i / W, c = i % W;
        bool valid = first + r < n_rows && d + c < n_channels;
        to[r][c] = valid ? to_f32(from[(size_t)(first + r) * ld + d + c]) : 0.0f;
    }
}

/* Over the 16 lanes that share a row. */
static __device__ __forceinline__ float side_max(float x) {
    for (int o = SIDE / 2; o; o >>= 1) x = fmaxf(x, __shfl_xor_sync(~0u, x, o));
    return x;
}
static __device__ __forceinline__ float side_sum(float x) {
    for (int o = SIDE / 2; o; o >>= 1) x += __shfl_xor_sync(~0u, x, o);
    return x;
}

template <class T> __global__ void __launch_bounds__(THREADS) attend_plain(attention_args a) {
    SHARED(float, q_part, [ROWS][DEPTH + 1]);
    SHARED(float, k_part, [KEYS][DEPTH + 1]);
    SHARED(float, p, [ROWS][KEYS + 1]);
    SHARED(float, v_part, [V_KEYS][CHANNELS]);
    const int i0 = threadIdx.x / SIDE, j0 = threadIdx.x % SIDE, q0 = blockIdx.x * ROWS, channel0 = blockIdx.z * CHANNELS;
    const int n_keys = keys_seen(a, q0 + ROWS - 1);
    const T *q = head_rows<T>(a.q, a.n_heads, a.D), *k = head_rows<T>(a.k, a.n_heads, a.D), *v = head_rows<T>(a.v, a.n_heads, a.D);

    float o[ROWS / SIDE][CHANNELS / SIDE] = {}, top[ROWS / SIDE], sum[ROWS / SIDE] = {};
    EACH for (int i = 0; i < ROWS / SIDE; i++) top[i] = -FLT_MAX;
    after_previous();
    for (int k0 = 0; k0 < n_keys; k0 += KEYS) {
        float s[ROWS / SIDE][KEYS / SIDE] = {};
        for (int d = 0; d < a.D; d += DEPTH) {
            __syncthreads();
            load_plain<ROWS, DEPTH>(q_part, q, a.q.ld, q0, a.Tq, d, a.D);
            load_plain<KEYS, DEPTH>(k_part, k, a.k.ld, k0, a.Tk, d, a.D);
            __syncthreads();
#pragma unroll 8
            for (int c = 0; c < DEPTH; c++)
                EACH for (int i = 0; i < ROWS / SIDE; i++) EACH for (int j = 0; j < KEYS / SIDE; j++) s[i][j] +=
                    q_part[i0 + SIDE * i][c] * k_part[j0 + SIDE * j][c];
        }

        EACH for (int i = 0; i < ROWS / SIDE; i++) {
            int seen = keys_seen(a, q0 + i0 + SIDE * i);
            float most = top[i], part = 0;
            EACH for (int j = 0; j < KEYS / SIDE; j++) {
                if (k0 + j0 + SIDE * j >= seen) s[i][j] = -INFINITY;
                most = fmaxf(most, s[i][j]); /* passes over a NaN, which comes out below */
            }
            most = side_max(most);
            EACH for (int j = 0; j < KEYS / SIDE; j++) part += p[i0 + SIDE * i][j0 + SIDE * j] = exp2f((s[i][j] - most) * a.scale);
            float alpha = exp2f((top[i] - most) * a.scale);
            sum[i] = sum[i] * alpha + part;
            top[i] = most;
            EACH for (int c = 0; c < CHANNELS / SIDE; c++) o[i][c] *= alpha;
        }

        for (int key = 0; key < KEYS; key += V_KEYS) {
            __syncthreads();
            load_plain<V_KEYS, CHANNELS>(v_part, v, a.v.ld, k0 + key, a.Tk, channel0, a.D);
            __syncthreads();
            for (int x = 0; x < V_KEYS; x++)
                EACH for (int c = 0; c < CHANNELS / SIDE; c++) EACH for (int i = 0; i < ROWS / SIDE; i++) o[i][c] +=
                    p[i0 + SIDE * i][key + x] * v_part[x][j0 + SIDE * c];
        }
    }

    T *y = head_rows<T>(a.y, a.n_heads, a.D);
    EACH for (int i = 0; i < ROWS / SIDE; i++) {
        int row = q0 + i0 + SIDE * i;
        float inverse = 1 / side_sum(sum[i]);
        EACH for (int c = 0; c < CHANNELS / SIDE; c++) {
            int channel = channel0 + j0 + SIDE * c;
            if (row < a.Tq && channel < a.D) y[(size_t)row * a.y.ld + channel] = from_f32<T>(o[i][c] * inverse);
        }
    }
}

void attention_plain(cuda_device *dev, const attention_args &a, int n_images) {
    dim3 grid((unsigned)ceil_div(a.Tq, ROWS), (unsigned)(n_images * a.n_heads), (unsigned)ceil_div(a.D, CHANNELS));
    DISPATCH(a.dtype, T, launch(dev, attend_plain<T>, grid, THREADS, 0, a));
}
