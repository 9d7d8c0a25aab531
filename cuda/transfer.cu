/* Between host and device: tensors (synchronously, in pieces through scratch, converted on the device), the picture's bytes, and the
 * latents, whose noise is uploaded between the loop's steps without stopping them. */
#include <cmath>
#include <cstdlib>

#include "cuda/device.h"

/* Pinned memory for latents: a slot is written again when the copy that read it has run. */
enum { SLOTS = 3 };
struct transfer {
    float *slot[SLOTS]; /* [capacity] */
    cudaEvent_t copied[SLOTS];
    size_t capacity;
    int next;
};

namespace {

constexpr int THREADS = 256;
constexpr size_t PIECE_BYTES = 1 << 20, PICTURE_HEAD = 256; /* of scratch; PICTURE_HEAD: before the bytes, the count of bad values */

/* n values of f32, dense, from element `first` of y's rows. */
template <class T> __global__ void __launch_bounds__(THREADS) from_dense(T *y, const float *x, size_t first, size_t n, int C, int ld) {
    after_previous();
    GRID_LOOP(i, n) {
        size_t row = (first + i) / (size_t)C, c = (first + i) % (size_t)C;
        y[row * ld + c] = from_f32<T>(x[i]);
    }
}
template <class T> __global__ void __launch_bounds__(THREADS) to_dense(float *y, const T *x, size_t first, size_t n, int C, int ld) {
    after_previous();
    GRID_LOOP(i, n) {
        size_t row = (first + i) / (size_t)C, c = (first + i) % (size_t)C;
        y[i] = to_f32(x[row * ld + c]);
    }
}

/* y = round_half_even(clamp(x/2 + 1/2, 0, 1) * 255); NaN becomes 0. *bad counts what is not finite. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    to_bytes(uint8_t *y, const T *x, size_t first, size_t n, int C, int ld, unsigned long long *bad) {
    after_previous();
    GRID_LOOP(i, n) {
        size_t row = (first + i) / (size_t)C, c = (first + i) % (size_t)C;
        float v = to_f32(x[row * (size_t)ld + c]);
        if (!(fabsf(v) < INFINITY)) atomicAdd(bad, 1ull);
        float u = v * 0.5f + 0.5f;
        u = u > 0 ? u : 0;
        y[i] = (uint8_t)__float2int_rn((u < 1 ? u : 1) * 255);
    }
}

size_t elements(struct view v) {
    return view_rows(v) * (size_t)v.C;
}

} // namespace

void transfer_open(struct cuda_device *dev) {
    cuda_scratch_reserve(dev, PIECE_BYTES);
}

static void slots_free(struct transfer *t) {
    for (int i = 0; i < SLOTS; i++) {
        if (t->copied[i]) cuda.EventDestroy(t->copied[i]);
        if (t->slot[i]) cuda.FreeHost(t->slot[i]);
    }
    *t = {};
}

void transfer_close(struct cuda_device *dev) {
    if (!dev->transfer) return;
    slots_free(dev->transfer);
    free(dev->transfer);
    dev->transfer = NULL;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

void cuda_upload(struct device *base, struct view y, const float *x) {
    struct cuda_device *dev = cuda_of(base);
    float *piece = static_cast<float *>(dev->scratch);
    size_t total = elements(y), most = dev->scratch_bytes / sizeof *piece;
    for (size_t first = 0; first < total; first += most) {
        size_t n = total - first < most ? total - first : most;
        CUDA(MemcpyAsync, piece, x + first, n * sizeof *x, cudaMemcpyHostToDevice, dev->stream);
        DISPATCH(
            y.dtype, T,
            launch(dev, from_dense<T>, grid_for(dev, n, THREADS), dim3(THREADS), 0, static_cast<T *>(y.p), piece, first, n, y.C, y.ld));
    }
    CUDA(StreamSynchronize, dev->stream);
}

void cuda_download(struct device *base, float *y, struct view x) {
    struct cuda_device *dev = cuda_of(base);
    float *piece = static_cast<float *>(dev->scratch);
    size_t total = elements(x), most = dev->scratch_bytes / sizeof *piece;
    for (size_t first = 0; first < total; first += most) {
        size_t n = total - first < most ? total - first : most;
        DISPATCH(
            x.dtype, T,
            launch(dev, to_dense<T>, grid_for(dev, n, THREADS), dim3(THREADS), 0, piece, static_cast<const T *>(x.p), first, n, x.C, x.ld));
        CUDA(MemcpyAsync, y + first, piece, n * sizeof *y, cudaMemcpyDeviceToHost, dev->stream);
    }
    CUDA(StreamSynchronize, dev->stream);
}

int64_t cuda_to_rgb8_plan(struct device *base, uint8_t *, struct view x) {
    cuda_scratch_reserve(cuda_of(base), elements(x) + PICTURE_HEAD);
    return 0;
}

int64_t cuda_to_rgb8(struct device *base, uint8_t *y, struct view x) {
    struct cuda_device *dev = cuda_of(base);
    unsigned long long *bad = static_cast<unsigned long long *>(dev->scratch), n_bad;
    uint8_t *piece = static_cast<uint8_t *>(dev->scratch) + PICTURE_HEAD;
    size_t total = elements(x), most = dev->scratch_bytes - PICTURE_HEAD;
    CUDA(MemsetAsync, bad, 0, sizeof *bad, dev->stream);
    for (size_t first = 0; first < total; first += most) {
        size_t n = total - first < most ? total - first : most;
        DISPATCH(x.dtype, T,
                 launch(dev, to_bytes<T>, grid_for(dev, n, THREADS), dim3(THREADS), 0, piece, static_cast<const T *>(x.p), first, n, x.C,
                        x.ld, bad));
        CUDA(MemcpyAsync, y + first, piece, n, cudaMemcpyDeviceToHost, dev->stream);
    }
    CUDA(MemcpyAsync, &n_bad, bad, sizeof n_bad, cudaMemcpyDeviceToHost, dev->stream);
    CUDA(StreamSynchronize, dev->stream);
    return (int64_t)n_bad;
}

/* ---- latents ----------------------------------------------------------------------------------------------------- */

/* A slot for n values that no copy reads any more. The first upload, before the loop, makes them. */
static int free_slot(struct cuda_device *dev, size_t n) {
    if (!dev->transfer) dev->transfer = static_cast<struct transfer *>(sys.calloc(1, sizeof *dev->transfer));
    struct transfer *t = dev->transfer;
    if (!t) die(FAIL_MEMORY, "out of memory");
    if (n > t->capacity) {
        CUDA(StreamSynchronize, dev->stream);
        slots_free(t);
        for (int i = 0; i < SLOTS; i++) {
            CUDA(MallocHost, reinterpret_cast<void **>(&t->slot[i]), n * sizeof(float));
            CUDA(EventCreateWithFlags, &t->copied[i], cudaEventDisableTiming);
        }
        t->capacity = n;
    }
    int i = t->next;
    t->next = (i + 1) % SLOTS;
    CUDA(EventSynchronize, t->copied[i]); /* done where it was never recorded */
    return i;
}

void cuda_upload_latents(struct device *base, float *y, const float *x, int N, int H, int W, int C) {
    struct cuda_device *dev = cuda_of(base);
    size_t HW = (size_t)H * W, total = (size_t)N * HW * C;
    int slot = free_slot(dev, total);
    float *staged = dev->transfer->slot[slot];
    latents_to_nhwc(staged, x, N, HW, C);
    CUDA(MemcpyAsync, y, staged, total * sizeof *y, cudaMemcpyHostToDevice, dev->stream);
    CUDA(EventRecord, dev->transfer->copied[slot], dev->stream);
}

void cuda_download_latents(struct device *base, float *y, const float *x, int N, int H, int W, int C) {
    struct cuda_device *dev = cuda_of(base);
    size_t HW = (size_t)H * W, total = (size_t)N * HW * C;
    int slot = free_slot(dev, total);
    float *staged = dev->transfer->slot[slot];
    CUDA(MemcpyAsync, staged, x, total * sizeof *y, cudaMemcpyDeviceToHost, dev->stream);
    CUDA(StreamSynchronize, dev->stream);
    latents_to_nchw(y, staged, N, HW, C);
}
