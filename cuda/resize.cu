/* Interpolation as torch's interpolate has it: bound by memory, 16 bytes of channels at a time where the rows allow it. Not
 * measured on a GPU yet. */
#include "cuda/device.h"

namespace {

constexpr int THREADS = 256;

/* Input pixels per output pixel of one axis, as torch computes it in f32. */
float scale_of(int in, int out, enum interpolation way) {
    if (way != INTERPOLATE_CORNERS) return (float)in / (float)out;
    return out > 1 ? (float)(in - 1) / (float)(out - 1) : 0;
}

/* Where output i lies: between input pixels from and to, `part` of the way. */
struct place {
    int from, to;
    float part;
};

__device__ __forceinline__ place between(int i, float scale, enum interpolation way, int in) {
    float at = way == INTERPOLATE_CENTERS ? scale * ((float)i + 0.5f) - 0.5f : scale * (float)i;
    at = fmaxf(at, 0);
    place p;
    p.from = min((int)at, in - 1);
    p.to = way == INTERPOLATE_NEAREST ? p.from : min(p.from + 1, in - 1);
    p.part = way == INTERPOLATE_NEAREST ? 0 : at - (float)p.from;
    return p;
}

/* V channels of a pixel a thread; n: of them. */
template <class T, int V>
__global__ void __launch_bounds__(THREADS)
    resize(struct view y, struct view x, size_t n, float scale_y, float scale_x, enum interpolation way) {
    size_t per_row = (size_t)(y.C / V);
    after_previous();
    GRID_LOOP(i, n) {
        size_t t = i / per_row, c = i % per_row * V, line = t / (size_t)y.W, first = line / (size_t)y.H * (size_t)x.H;
        place down = between((int)(line % (size_t)y.H), scale_y, way, x.H);
        place across = between((int)(t % (size_t)y.W), scale_x, way, x.W);
        size_t above = (first + (size_t)down.from) * (size_t)x.W, below = (first + (size_t)down.to) * (size_t)x.W;
        vec<T, V> a = vec_at<T, V>(x.p, (above + across.from) * x.ld + c), b = vec_at<T, V>(x.p, (above + across.to) * x.ld + c);
        vec<T, V> d = vec_at<T, V>(x.p, (below + across.from) * x.ld + c), e = vec_at<T, V>(x.p, (below + across.to) * x.ld + c), out;
#pragma unroll
        for (int k = 0; k < V; k++) {
            float upper = (1 - across.part) * to_f32(a.v[k]) + across.part * to_f32(b.v[k]);
            float lower = (1 - across.part) * to_f32(d.v[k]) + across.part * to_f32(e.v[k]);
            out.v[k] = from_f32<T>((1 - down.part) * upper + down.part * lower);
        }
        *reinterpret_cast<vec<T, V> *>(static_cast<T *>(y.p) + t * y.ld + c) = out;
    }
}

template <class T> void launch_resize(struct cuda_device *dev, struct view y, struct view x, enum interpolation way) {
    constexpr int V = vec16<T>::N;
    size_t n = view_rows(y) * (size_t)y.C;
    float scale_y = scale_of(x.H, y.H, way), scale_x = scale_of(x.W, y.W, way);
    if (y.C % V == 0 && rows_aligned(y) && rows_aligned(x))
        launch(dev, resize<T, V>, grid_for(dev, n / V, THREADS), dim3(THREADS), 0, y, x, n / V, scale_y, scale_x, way);
    else launch(dev, resize<T, 1>, grid_for(dev, n, THREADS), dim3(THREADS), 0, y, x, n, scale_y, scale_x, way);
}

} // namespace

void cuda_resize(struct device *base, struct view y, struct view x, enum interpolation way) {
    struct cuda_device *dev = cuda_of(base);
    DISPATCH(y.dtype, T, launch_resize<T>(dev, y, x, way));
    double n = (double)view_rows(y) * y.C;
    count_work(dev, 9 * n, (n + (double)view_rows(x) * x.C) * (double)view_item(y));
}
