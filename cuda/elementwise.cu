/* Ops that touch every element once: bound by memory, 16 bytes at a time where the rows allow it. Not measured on a GPU yet. */
#include <cassert>

#include "cuda/device.h"

namespace {

constexpr int THREADS = 256;

struct silu_of {
    __device__ __forceinline__ float operator()(float a, float) const { return silu(a); }
};
struct sum_of {
    float factor;
    __device__ __forceinline__ float operator()(float a, float b) const { return a + factor * b; }
};

/* y[row, c] = f(a[row, c], b[row, c]), V elements at a time; n: of them. y may be a or b. */
template <class T, int V, class F>
__global__ void __launch_bounds__(THREADS)
    pointwise(void *y, const void *a, const void *b, size_t n, int C, int ldy, int lda, int ldb, F f) {
    int per_row = C / V;
    after_previous();
    GRID_LOOP(i, n) {
        size_t row = i / (size_t)per_row, c = i % (size_t)per_row * V;
        vec<T, V> left = vec_at<T, V>(a, row * lda + c), right = vec_at<T, V>(b, row * ldb + c), out;
#pragma unroll
        for (int k = 0; k < V; k++) out.v[k] = from_f32<T>(f(to_f32(left.v[k]), to_f32(right.v[k])));
        *reinterpret_cast<vec<T, V> *>(static_cast<T *>(y) + row * ldy + c) = out;
    }
}

template <class T, class F> void launch_pointwise(struct cuda_device *dev, struct view y, struct view a, struct view b, F f) {
    constexpr int V = vec16<T>::N;
    size_t n = view_rows(y) * (size_t)y.C;
    if (y.C % V == 0 && rows_aligned(y) && rows_aligned(a) && rows_aligned(b))
        launch(dev, pointwise<T, V, F>, grid_for(dev, n / V, THREADS), dim3(THREADS), 0, y.p, a.p, b.p, n / V, y.C, y.ld, a.ld, b.ld, f);
    else launch(dev, pointwise<T, 1, F>, grid_for(dev, n, THREADS), dim3(THREADS), 0, y.p, a.p, b.p, n, y.C, y.ld, a.ld, b.ld, f);
}

/* y[row, c] = act(x[row, c] * (1 + scale[image, c]) + shift[image, c]), V elements at a time; n: of them. y may be x. image_ld: 0 where one
 * row serves all images; NULL: none. */
template <class T, int V>
__global__ void __launch_bounds__(THREADS)
    scale_shift(void *y, const void *x, const void *scale, const void *shift, size_t n, int C, int ldy, int ldx, size_t rows_per_image,
                size_t scale_ld, size_t shift_ld, enum act act) {
    int per_row = C / V;
    after_previous();
    GRID_LOOP(i, n) {
        size_t row = i / (size_t)per_row, c = i % (size_t)per_row * V, image = row / rows_per_image;
        vec<T, V> in = vec_at<T, V>(x, row * ldx + c), s{}, b{}, out;
        if (scale) s = vec_at<T, V>(scale, image * scale_ld + c);
        if (shift) b = vec_at<T, V>(shift, image * shift_ld + c);
#pragma unroll
        for (int k = 0; k < V; k++) {
            float value = to_f32(in.v[k]);
            if (scale) value *= 1 + to_f32(s.v[k]);
            if (shift) value += to_f32(b.v[k]);
            out.v[k] = from_f32<T>(activated(act, value));
        }
        *reinterpret_cast<vec<T, V> *>(static_cast<T *>(y) + row * ldy + c) = out;
    }
}

template <class T>
void launch_scale_shift(struct cuda_device *dev, struct view y, struct view x, struct view scale, struct view shift, enum act act) {
    constexpr int V = vec16<T>::N;
    size_t n = view_rows(y) * (size_t)y.C, rows = (size_t)x.H * (size_t)x.W;
    size_t scale_ld = scale.N > 1 ? (size_t)scale.ld : 0, shift_ld = shift.N > 1 ? (size_t)shift.ld : 0;
    bool aligned = y.C % V == 0 && rows_aligned(y) && rows_aligned(x);
    aligned = aligned && (!scale.p || rows_aligned(scale)) && (!shift.p || rows_aligned(shift));
    if (aligned)
        launch(dev, scale_shift<T, V>, grid_for(dev, n / V, THREADS), dim3(THREADS), 0, y.p, x.p, scale.p, shift.p, n / V, y.C, y.ld, x.ld,
               rows, scale_ld, shift_ld, act);
    else
        launch(dev, scale_shift<T, 1>, grid_for(dev, n, THREADS), dim3(THREADS), 0, y.p, x.p, scale.p, shift.p, n, y.C, y.ld, x.ld, rows,
               scale_ld, shift_ld, act);
}

} // namespace

void cuda_modulate(struct device *base, struct view y, struct view x, struct view scale, struct view shift, enum act act) {
    struct cuda_device *dev = cuda_of(base);
    DISPATCH(y.dtype, T, launch_scale_shift<T>(dev, y, x, scale, shift, act));
    double n = (double)view_rows(y) * y.C;
    count_work(dev, 4 * n, 2 * n * (double)view_item(y));
}

void cuda_silu(struct device *base, struct view y, struct view x) {
    struct cuda_device *dev = cuda_of(base);
    DISPATCH(y.dtype, T, launch_pointwise<T>(dev, y, x, x, silu_of()));
    double n = (double)view_rows(y) * y.C;
    count_work(dev, 4 * n, 2 * n * (double)view_item(y));
}

void cuda_add(struct device *base, struct view y, struct view a, struct view b, float factor) {
    struct cuda_device *dev = cuda_of(base);
    DISPATCH(y.dtype, T, launch_pointwise<T>(dev, y, a, b, sum_of{factor}));
    double n = (double)view_rows(y) * y.C;
    count_work(dev, 2 * n, 3 * n * (double)view_item(y));
}
