/* LayerNorm: a warp per row, the row in registers; rows that are too long or not aligned are read three times. Statistics are the mean,
 * then squares around it, of x - pivot, the row's first value, so that a mean much larger than the deviation costs nothing.
 *
 * Not measured on a GPU yet. */

#include "cuda/device.h"

namespace {

constexpr int ROWS = 4; /* of a block: a warp each */

struct layer_norm {
    const void *x;
    void *y;
    const float *w, *b;
    size_t T;
    int C, ldx, ldy;
    float eps;
};

/* y = (x - center - rest) * rstd * w + b: an f32 alone cannot hold a mean much larger than the deviation. */
struct affine {
    float center, rest, rstd;
};
__device__ __forceinline__ struct affine affine_of(float pivot, float mean, float variance, float eps) {
    float center = pivot + mean;
    return {center, (pivot - center) + mean, rsqrtf(variance + eps)};
}

/* V values by 16 bytes: of a vector of weights, which is aligned as every block of the device's memory is. */
template <int V> __device__ __forceinline__ void load16(float (&v)[V], const float *p) {
#pragma unroll
    for (int i = 0; i < V; i += 4) {
        float4 four = *reinterpret_cast<const float4 *>(p + i);
        v[i] = four.x, v[i + 1] = four.y, v[i + 2] = four.z, v[i + 3] = four.w;
    }
}

/* VECS vectors of the row per lane, or fewer. */
template <class T, int VECS> __global__ void __launch_bounds__(32 * ROWS) layer_norm_rows(const struct layer_norm p) {
    constexpr int V = vec16<T>::N;
    size_t row = (size_t)blockIdx.x * ROWS + threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32, n = p.C / V;
    after_previous();
    if (row < p.T) {
        const vec16<T> *x = reinterpret_cast<const vec16<T> *>(static_cast<const T *>(p.x) + row * p.ldx);
        vec16<T> *y = reinterpret_cast<vec16<T> *>(static_cast<T *>(p.y) + row * p.ldy);
        vec16<T> v[VECS];
#pragma unroll
        for (int k = 0; k < VECS; k++)
            if (lane + 32 * k < n) v[k] = x[lane + 32 * k];
        float pivot = __shfl_sync(~0u, to_f32(v[0].v[0]), 0), sum = 0, squares = 0;
#pragma unroll
        for (int k = 0; k < VECS; k++)
            if (lane + 32 * k < n)
#pragma unroll
                for (int i = 0; i < V; i++) sum += to_f32(v[k].v[i]) - pivot;
        float mean = warp_sum(sum) / (float)p.C;
#pragma unroll
        for (int k = 0; k < VECS; k++)
            if (lane + 32 * k < n)
#pragma unroll
                for (int i = 0; i < V; i++) {
                    float d = to_f32(v[k].v[i]) - pivot - mean;
                    squares += d * d;
                }
        struct affine a = affine_of(pivot, mean, warp_sum(squares) / (float)p.C, p.eps);
#pragma unroll
        for (int k = 0; k < VECS; k++) {
            if (lane + 32 * k >= n) continue;
            vec16<T> out;
            float w[V], b[V];
            load16(w, p.w + (lane + 32 * k) * V);
            load16(b, p.b + (lane + 32 * k) * V);
#pragma unroll
            for (int i = 0; i < V; i++) out.v[i] = from_f32<T>(((to_f32(v[k].v[i]) - a.center) - a.rest) * a.rstd * w[i] + b[i]);
            store16(&y[lane + 32 * k], out);
        }
    }
}

template <class T> __global__ void __launch_bounds__(32 * ROWS) layer_norm_plain(const struct layer_norm p) {
    size_t row = (size_t)blockIdx.x * ROWS + threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32;
    after_previous();
    if (row < p.T) {
        const T *x = static_cast<const T *>(p.x) + row * p.ldx;
        T *y = static_cast<T *>(p.y) + row * p.ldy;
        float pivot = __shfl_sync(~0u, to_f32(x[0]), 0), sum = 0, squares = 0;
        for (int c = lane; c < p.C; c += 32) sum += to_f32(x[c]) - pivot;
        float mean = warp_sum(sum) / (float)p.C;
        for (int c = lane; c < p.C; c += 32) {
            float d = to_f32(x[c]) - pivot - mean;
            squares += d * d;
        }
        struct affine a = affine_of(pivot, mean, warp_sum(squares) / (float)p.C, p.eps);
        for (int c = lane; c < p.C; c += 32) y[c] = from_f32<T>(((to_f32(x[c]) - a.center) - a.rest) * a.rstd * p.w[c] + p.b[c]);
    }
}

template <class T> void launch_layer_norm(struct cuda_device *dev, const struct layer_norm &p, bool aligned) {
    dim3 grid((unsigned)ceil_div((int64_t)p.T, ROWS)), block(32 * ROWS);
    int64_t vecs = ceil_div(p.C, 32 * vec16<T>::N);
    if (!aligned || p.C % vec16<T>::N || vecs > 8) launch(dev, layer_norm_plain<T>, grid, block, 0, p);
    else if (vecs <= 2) launch(dev, layer_norm_rows<T, 2>, grid, block, 0, p);
    else if (vecs <= 4) launch(dev, layer_norm_rows<T, 4>, grid, block, 0, p);
    else launch(dev, layer_norm_rows<T, 8>, grid, block, 0, p);
}

} // namespace

void cuda_layer_norm_plan(struct device *base, struct view, struct view x, struct weight *w, struct weight *b, float) {
    cuda_plan_dense(cuda_of(base), w, x.dtype);
    cuda_plan_dense(cuda_of(base), b, x.dtype);
}

void cuda_layer_norm(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, float eps) {
    struct cuda_device *dev = cuda_of(base);
    struct layer_norm p = {x.p,
                           y.p,
                           static_cast<const float *>(cuda_packed(dev, w)),
                           static_cast<const float *>(cuda_packed(dev, b)),
                           view_rows(x),
                           x.C,
                           x.ld,
                           y.ld,
                           eps};
    DISPATCH(x.dtype, T, launch_layer_norm<T>(dev, p, !cuda_forced.plain && rows_aligned(x) && rows_aligned(y)));
    double n = (double)p.T * p.C;
    count_work(dev, 8 * n, 2 * n * (double)view_item(x));
}
