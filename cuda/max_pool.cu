/* The largest value under a window: bound by memory, 16 bytes of channels at a time where the rows allow it. Not measured on a GPU yet. */
#include "cuda/device.h"

namespace {

constexpr int THREADS = 256;

/* NaN stays. */
__device__ __forceinline__ float larger(float a, float b) {
    return a >= b || a != a ? a : b;
}

/* V channels of a pixel a thread; n: of them. */
template <class T, int V>
__global__ void __launch_bounds__(THREADS) max_pool(struct view y, struct view x, size_t n, int R, struct conv_shape shape) {
    size_t per_row = (size_t)(y.C / V);
    after_previous();
    GRID_LOOP(i, n) {
        size_t t = i / per_row, c = i % per_row * V, line = t / (size_t)y.W, first = line / (size_t)y.H * (size_t)x.H;
        int y0 = (int)(line % (size_t)y.H) * shape.stride - shape.top, x0 = (int)(t % (size_t)y.W) * shape.stride - shape.left;
        float most[V];
#pragma unroll
        for (int k = 0; k < V; k++) most[k] = -INFINITY;
        for (int v = max(y0, 0); v < min(y0 + R, x.H); v++)
            for (int u = max(x0, 0); u < min(x0 + R, x.W); u++) {
                vec<T, V> in = vec_at<T, V>(x.p, ((first + (size_t)v) * (size_t)x.W + (size_t)u) * x.ld + c);
#pragma unroll
                for (int k = 0; k < V; k++) most[k] = larger(most[k], to_f32(in.v[k]));
            }
        vec<T, V> out;
#pragma unroll
        for (int k = 0; k < V; k++) out.v[k] = from_f32<T>(most[k]);
        *reinterpret_cast<vec<T, V> *>(static_cast<T *>(y.p) + t * y.ld + c) = out;
    }
}

template <class T> void launch_max_pool(struct cuda_device *dev, struct view y, struct view x, int R, struct conv_shape shape) {
    constexpr int V = vec16<T>::N;
    size_t n = view_rows(y) * (size_t)y.C;
    if (y.C % V == 0 && rows_aligned(y) && rows_aligned(x))
        launch(dev, max_pool<T, V>, grid_for(dev, n / V, THREADS), dim3(THREADS), 0, y, x, n / V, R, shape);
    else launch(dev, max_pool<T, 1>, grid_for(dev, n, THREADS), dim3(THREADS), 0, y, x, n, R, shape);
}

} // namespace

void cuda_max_pool(struct device *base, struct view y, struct view x, int R, struct conv_shape shape) {
    struct cuda_device *dev = cuda_of(base);
    DISPATCH(y.dtype, T, launch_max_pool<T>(dev, y, x, R, shape));
    double n = (double)view_rows(y) * y.C;
    count_work(dev, n * R * R, (n + (double)view_rows(x) * x.C) * (double)view_item(y));
}
