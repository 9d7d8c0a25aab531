/* Tokens and timesteps to vectors: once a run, outside the loop. What the host gives goes through scratch. */
#include <cassert>

#include "cuda/device.h"

namespace {

constexpr int THREADS = 256;

template <class T>
__global__ void __launch_bounds__(THREADS) embed(T *y, const int32_t *ids, const T *table, const T *pos, size_t n_tokens, int C, int ld) {
    after_previous();
    GRID_LOOP(i, n_tokens * (size_t)C) {
        size_t t = i / (size_t)C, c = i % (size_t)C;
        y[t * ld + c] = from_f32<T>(to_f32(table[(size_t)ids[t] * C + c]) + (pos ? to_f32(pos[t * C + c]) : 0));
    }
}

/* Every step in f32 as torch does it, with the exact functions: with t near 1000 one unit in the last place of a frequency moves the sine
 * by 6e-5. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    timestep_embed(T *y, const float *t, size_t n_rows, int half, int ld, int sin_at, int cos_at, float freq_shift) {
    after_previous();
    GRID_LOOP(i, n_rows * (size_t)half) {
        size_t row = i / (size_t)half;
        int f = (int)(i % (size_t)half);
        float exponent = -9.2103403719761836f /* ln(10000) */ * (float)f / ((float)half - freq_shift);
        float arg = t[row] * expf(exponent);
        y[row * ld + sin_at + f] = from_f32<T>(sinf(arg));
        y[row * ld + cos_at + f] = from_f32<T>(cosf(arg));
    }
}

/* n values of 4 bytes in scratch. The host's are free again when this returns; they are not pinned, so that takes a wait. */
void *to_scratch(struct cuda_device *dev, const void *values, size_t n) {
    CUDA(MemcpyAsync, dev->scratch, values, n * 4, cudaMemcpyHostToDevice, dev->stream);
    CUDA(StreamSynchronize, dev->stream);
    return dev->scratch;
}

} // namespace

void cuda_embed_plan(struct device *base, struct view y, const int32_t *, struct weight *table, struct weight *pos) {
    struct cuda_device *dev = cuda_of(base);
    cuda_plan_dense(dev, table, y.dtype);
    if (pos) cuda_plan_dense(dev, pos, y.dtype);
    cuda_scratch_reserve(dev, view_rows(y) * sizeof(int32_t));
}

void cuda_embed(struct device *base, struct view y, const int32_t *ids, struct weight *table, struct weight *pos) {
    struct cuda_device *dev = cuda_of(base);
    size_t n = view_rows(y);
    for (size_t t = 0; t < n; t++) assert(ids[t] >= 0 && ids[t] < table->shape[0]);
    const void *rows = cuda_packed(dev, table), *positions = pos ? cuda_packed(dev, pos) : nullptr;
    const int32_t *device_ids = static_cast<const int32_t *>(to_scratch(dev, ids, n));
    DISPATCH(y.dtype, T,
             launch(dev, embed<T>, grid_for(dev, n * (size_t)y.C, THREADS), dim3(THREADS), 0, static_cast<T *>(y.p), device_ids,
                    static_cast<const T *>(rows), static_cast<const T *>(positions), n, y.C, y.ld));
    count_work(dev, (double)n * y.C, 3 * (double)n * y.C * (double)view_item(y));
}

void cuda_timestep_embed_plan(struct device *base, struct view y, const float *, bool, float) {
    cuda_scratch_reserve(cuda_of(base), view_rows(y) * sizeof(float));
}

void cuda_timestep_embed(struct device *base, struct view y, const float *t, bool flip_sin_to_cos, float freq_shift) {
    struct cuda_device *dev = cuda_of(base);
    int half = y.C / 2, sin_at = flip_sin_to_cos ? half : 0, cos_at = flip_sin_to_cos ? 0 : half;
    size_t n = view_rows(y);
    const float *device_t = static_cast<const float *>(to_scratch(dev, t, n));
    DISPATCH(y.dtype, T,
             launch(dev, timestep_embed<T>, grid_for(dev, n * (size_t)half, THREADS), dim3(THREADS), 0, static_cast<T *>(y.p), device_t, n,
                    half, y.ld, sin_at, cos_at, freq_shift));
    count_work(dev, (double)n * y.C, (double)n * y.C * (double)view_item(y));
}
