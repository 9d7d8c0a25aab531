/* The denoising loop's own arithmetic: guidance, the scheduler's row, the latents as the model's input.
 *
 * The launches are recorded once and replayed for every row, so whatever depends on the row is read from device memory: next_row counts,
 * the others look. Which kernels a step launches depends on nothing but the schedule and the command. Usually it is one:
 *     rescale_factors   where guidance is rescaled: a block per image, the deviations of two outputs
 *     thresholds        where some row clips by quantile: a block per image, the quantile by radix selection
 *     sched_step        always: one thread per value
 * Not measured on a GPU yet. */
#include <cassert>

#include "cuda/device.h"

namespace {

constexpr int THREADS = 256, IMAGE_THREADS = 512, IMAGE_WARPS = IMAGE_THREADS / 32;

/* What a step reads; every kernel of it receives the same. */
struct step {
    struct latents l;
    const struct cuda_row *rows;
    const int *row_at;
    int depth;
    const void *out; /* [N|2N|3N,H,W,C|2C] */
    int ld;
    int copies; /* out holds: one; uncond, cond; uncond, seen, cond */
    struct guidance guidance;
    float *factors;    /* [N], of the guided output; NULL: 1 */
    float *limits;     /* [N], of clipping by quantile */
    float *magnitudes; /* [N,H,W,C] |v|, for the quantile */
};

__device__ __forceinline__ size_t latents_per_image(const struct latents &l) {
    return (size_t)l.H * l.W * l.C;
}

/* out at value i of the latents, `channel` further on, in that copy. */
template <class T> __device__ __forceinline__ float output(const struct step &s, size_t i, int copy, int channel = 0) {
    size_t pixel = i / (size_t)s.l.C + (size_t)copy * s.l.N * s.l.H * s.l.W, c = i % (size_t)s.l.C + (size_t)channel;
    return to_f32(static_cast<const T *>(s.out)[pixel * s.ld + c]);
}

/* The guided output before it is rescaled. */
template <class T> __device__ __forceinline__ float guided(const struct step &s, size_t i) {
    float e = output<T>(s, i, 0);
    if (s.copies == 1) return e;
    float cond = output<T>(s, i, s.copies - 1);
    if (s.copies == 2) return e + s.guidance.scale * (cond - e);
    float seen = output<T>(s, i, 1);
    return e + s.guidance.scale * (cond - seen) + s.guidance.image * (seen - e);
}

template <class T> __device__ __forceinline__ float guided_rescaled(const struct step &s, size_t i) {
    return s.factors ? guided<T>(s, i) * s.factors[i / latents_per_image(s.l)] : guided<T>(s, i);
}

/* k x[i]; what a row does not use may be uninitialised, so 0 x is not computed. */
__device__ __forceinline__ float term(float k, const float *x, size_t i) {
    return k != 0 ? k * x[i] : 0;
}

/* clip's argument: what the row makes of x and e. */
__device__ __forceinline__ float predicted(const struct sched_row &row, float x, float e) {
    return (row.dx != 0 ? row.dx * x : 0) + (row.de != 0 ? row.de * e : 0);
}

/* ---- the row under way ------------------------------------------------------------------------------------------- */

/* One block: all of it reads the counter before it moves. */
template <class U> __global__ void __launch_bounds__(IMAGE_THREADS) next_row(U *y, const U *table, int n, size_t stride, int *row_at) {
    after_previous();
    int row = *row_at + 1;
    for (int i = (int)threadIdx.x; i < n; i += IMAGE_THREADS) y[i] = table[(size_t)row * stride + i];
    __syncthreads();
    if (threadIdx.x == 0) *row_at = row;
}

/* y[copy, i] = scale x[i], or the row's in_scale where there are rows. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    model_input(T *y, const float *x, size_t n, int C, int ld, int copies, float scale, const struct cuda_row *rows, const int *row_at) {
    after_previous();
    if (rows) scale = rows[*row_at].row.in_scale;
    size_t pixels = n / (size_t)C;
    GRID_LOOP(i, n) {
        T value = from_f32<T>(scale * x[i]);
        for (int copy = 0; copy < copies; copy++) y[(copy * pixels + i / (size_t)C) * ld + i % (size_t)C] = value;
    }
}

/* ---- guidance rescaled: Lin et al. 2023, 3.4 --------------------------------------------------------------------- */

/* factors[n] = rescale std(cond) / std(guided) + 1 - rescale */
template <class T> __global__ void __launch_bounds__(IMAGE_THREADS) rescale_factors(const struct step s) {
    SHARED(float, shared, [IMAGE_WARPS]);
    size_t n = latents_per_image(s.l), first = blockIdx.x * n;
    after_previous();
    float sum_cond = 0, sum_e = 0, squares_cond = 0, squares_e = 0;
    for (size_t i = threadIdx.x; i < n; i += IMAGE_THREADS) {
        sum_cond += output<T>(s, first + i, s.copies - 1);
        sum_e += guided<T>(s, first + i);
    }
    float mean_cond = block_sum<IMAGE_WARPS>(sum_cond, shared) / (float)n, mean_e = block_sum<IMAGE_WARPS>(sum_e, shared) / (float)n;
    for (size_t i = threadIdx.x; i < n; i += IMAGE_THREADS) {
        float cond = output<T>(s, first + i, s.copies - 1) - mean_cond, e = guided<T>(s, first + i) - mean_e;
        squares_cond += cond * cond;
        squares_e += e * e;
    }
    squares_cond = block_sum<IMAGE_WARPS>(squares_cond, shared);
    squares_e = block_sum<IMAGE_WARPS>(squares_e, shared);
    /* unbiased both: n - 1 cancels */
    float rescale = s.guidance.rescale;
    if (threadIdx.x == 0) s.factors[blockIdx.x] = rescale * sqrtf(squares_cond / squares_e) + (1 - rescale);
}

/* ---- dynamic thresholding: Saharia et al. 2022 ------------------------------------------------------------------- */

/* Of floats that are not negative, whose bits are in the same order. */
struct selection {
    unsigned histogram[256];
    unsigned prefix, rank; /* the bits found so far; which of the values that begin so */
    unsigned next;         /* the least value above */
};

/* The value of that rank, 0 the least, and the one after it. Called by the whole block; magnitudes come from it too. */
__device__ void select_rank(struct selection &s, const float *x, size_t n, unsigned rank, float *found, float *after) {
    if (threadIdx.x == 0) s.prefix = 0, s.rank = rank, s.next = 0xffffffffu;
    for (int shift = 24; shift >= 0; shift -= 8) {
        if (threadIdx.x < 256) s.histogram[threadIdx.x] = 0;
        __syncthreads();
        for (size_t i = threadIdx.x; i < n; i += IMAGE_THREADS) {
            unsigned bits = __float_as_uint(x[i]);
            if (shift == 24 || bits >> (shift + 8) == s.prefix >> (shift + 8)) atomicAdd(&s.histogram[bits >> shift & 255], 1u);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            unsigned digit = 0;
            while (s.rank >= s.histogram[digit]) s.rank -= s.histogram[digit++];
            s.prefix |= digit << shift;
        }
        __syncthreads();
    }
    for (size_t i = threadIdx.x; i < n; i += IMAGE_THREADS)
        if (__float_as_uint(x[i]) > s.prefix) atomicMin(&s.next, __float_as_uint(x[i]));
    __syncthreads();
    bool twice = s.rank + 1 < s.histogram[s.prefix & 255];
    *found = __uint_as_float(s.prefix);
    *after = twice || s.next == 0xffffffffu ? *found : __uint_as_float(s.next);
}

/* limits[n] = the quantile of image n's |v|, from 1 to clip_value. torch.quantile: linear, and the rank an f32. */
template <class T> __global__ void __launch_bounds__(IMAGE_THREADS) thresholds(const struct step s) {
    SHARED(struct selection, selection, [1]);
    after_previous();
    const struct sched_row &row = s.rows[*s.row_at].row;
    if (row.clip == CLIP_QUANTILE) { /* the same for all threads */
        size_t n = latents_per_image(s.l), first = blockIdx.x * n;
        float *magnitudes = s.magnitudes + first, found, after;
        for (size_t i = threadIdx.x; i < n; i += IMAGE_THREADS)
            magnitudes[i] = fabsf(predicted(row, s.l.x[first + i], guided_rescaled<T>(s, first + i)));
        __syncthreads();
        float rank = __fmul_rn(row.clip_quantile, (float)(n - 1)), below = floorf(rank);
        select_rank(selection[0], magnitudes, n, (unsigned)below, &found, &after);
        float quantile = found + (rank - below) * (after - found);
        if (threadIdx.x == 0) s.limits[blockIdx.x] = fminf(fmaxf(quantile, 1.0f), row.clip_value);
    }
}

/* ---- the row ----------------------------------------------------------------------------------------------------- */

__device__ __forceinline__ float clipped(const struct step &s, const struct sched_row &row, float v, size_t i) {
    if (row.clip == CLIP_NONE) return v;
    float limit = row.clip == CLIP_QUANTILE ? s.limits[i / latents_per_image(s.l)] : row.clip_value;
    v = v < -limit ? -limit : v > limit ? limit : v;
    return row.clip == CLIP_QUANTILE ? v / limit : v;
}

/* d[slot], without an array in local memory. */
__device__ __forceinline__ float *history(const struct latents &l, int slot) {
    float *d = l.d[0];
#pragma unroll
    for (int k = 1; k < SCHED_HISTORY; k++)
        if (k == slot) d = l.d[k];
    return d;
}

/* sum + k[0] v + k[1] d[1] + k[2] d[2] + … */
__device__ __forceinline__ float with_history(const struct step &s, const struct cuda_row &r, const float *k, float sum, float v,
                                              size_t i) {
    if (k[0] != 0) sum += k[0] * v;
    for (int j = 1; j < s.depth; j++) sum += term(k[j], history(s.l, (r.head + j) % s.depth), i);
    return sum;
}

/* The deviation the model predicts: Nichol & Dhariwal 2021, 3.1. */
template <class T> __device__ __forceinline__ float learned_deviation(const struct step &s, const struct sched_row &row, size_t i) {
    float p = output<T>(s, i, 0, s.l.C);
    if (row.variance == VARIANCE_LEARNED) return sqrtf(p);
    float large = (p + 1) / 2;
    return expf(0.5f * (large * row.max_log + (1 - large) * row.min_log));
}

template <class T> __global__ void __launch_bounds__(THREADS) sched_step(const struct step s) {
    after_previous();
    const struct cuda_row &r = s.rows[*s.row_at];
    const struct sched_row &row = r.row;
    GRID_LOOP(i, s.l.N * latents_per_image(s.l)) {
        float x = s.l.x[i], e = guided_rescaled<T>(s, i), v = clipped(s, row, predicted(row, x, e), i);
        s.l.e[i] = e;
        if (row.push) history(s.l, r.head)[i] = v;
        if (row.save) {
            float sum = (row.ax != 0 ? row.ax * x : 0) + term(row.as, s.l.saved, i);
            s.l.saved[i] = with_history(s, r, row.ad, sum, v, i);
        }
        float sum = (row.cx != 0 ? row.cx * x : 0) + (row.ce != 0 ? row.ce * e : 0) + term(row.cs, s.l.saved, i);
        sum = with_history(s, r, row.cd, sum, v, i);
        if (row.cz != 0) sum += row.variance ? row.cz * learned_deviation<T>(s, row, i) * s.l.z[i] : row.cz * s.l.z[i];
        if (s.l.mask) {
            float m = s.l.mask[i / (size_t)s.l.C];
            sum = (1 - m) * (row.keep_x * s.l.clean[i] + row.keep_z * s.l.noise[i]) + m * sum;
        }
        s.l.x[i] = sum;
    }
}

/* Room for that many rows. */
void prepare_schedule(struct cuda_device *dev, int n_rows, int depth, bool thresholds) {
    if (n_rows <= dev->rows_capacity && depth == dev->depth && thresholds == dev->thresholds) return;
    dev->baked++;
    dev->depth = depth;
    dev->thresholds = thresholds;
    if (!dev->row_at) dev->row_at = static_cast<int *>(dev->base.alloc(&dev->base, sizeof *dev->row_at));
    if (n_rows <= dev->rows_capacity) return;
    dev->base.free(&dev->base, dev->rows);
    dev->rows = NULL;
    dev->rows_capacity = 0;
    struct cuda_row *host_rows = static_cast<struct cuda_row *>(sys.realloc(dev->host_rows, (size_t)n_rows * sizeof *host_rows));
    if (!host_rows) die(FAIL_MEMORY, "out of memory");
    dev->host_rows = host_rows;
    dev->rows = static_cast<struct cuda_row *>(dev->base.alloc(&dev->base, (size_t)n_rows * sizeof *dev->rows));
    dev->rows_capacity = n_rows;
}

size_t latents_size(const struct latents *l) {
    return (size_t)l->N * l->H * l->W * l->C;
}

struct step step_of(struct cuda_device *dev, const struct latents *l, struct view out, struct guidance guidance) {
    struct step s = {};
    s.l = *l;
    s.rows = dev->rows;
    s.row_at = dev->row_at;
    s.depth = dev->depth;
    s.out = out.p;
    s.ld = out.ld;
    s.copies = out.N / l->N;
    s.guidance = guidance;
    float *scratch = static_cast<float *>(dev->scratch);
    s.factors = s.copies > 1 && guidance.rescale > 0 ? scratch : NULL;
    s.limits = scratch + l->N;
    s.magnitudes = scratch + 2 * l->N;
    return s;
}

template <class T> void launch_step(struct cuda_device *dev, const struct step &s) {
    dim3 images((unsigned)s.l.N);
    if (s.factors) launch(dev, rescale_factors<T>, images, dim3(IMAGE_THREADS), 0, s);
    if (dev->thresholds) launch(dev, thresholds<T>, images, dim3(IMAGE_THREADS), 0, s);
    launch(dev, sched_step<T>, grid_for(dev, latents_size(&s.l), THREADS), dim3(THREADS), 0, s);
}

template <class T>
void launch_input(struct cuda_device *dev, struct view y, const float *x, int copies, float scale, const struct cuda_row *rows) {
    size_t n = view_rows(y) / (size_t)copies * (size_t)y.C;
    launch(dev, model_input<T>, grid_for(dev, n, THREADS), dim3(THREADS), 0, static_cast<T *>(y.p), x, n, y.C, y.ld, copies, scale, rows,
           dev->row_at);
    count_work(dev, (double)n, (double)n * (4 + copies * (double)sizeof(T)));
}

template <class T> void launch_next_row(struct cuda_device *dev, struct view y, struct view table) {
    constexpr int V = vec16<T>::N;
    int n = y.p ? y.C : 0;
    if (n % V == 0 && rows_aligned(table) && (uintptr_t)y.p % 16 == 0)
        launch(dev, next_row<vec16<T>>, dim3(1), dim3(IMAGE_THREADS), 0, static_cast<vec16<T> *>(y.p),
               static_cast<const vec16<T> *>(table.p), n / V, (size_t)table.ld / V, dev->row_at);
    else
        launch(dev, next_row<T>, dim3(1), dim3(IMAGE_THREADS), 0, static_cast<T *>(y.p), static_cast<const T *>(table.p), n,
               (size_t)table.ld, dev->row_at);
    count_work(dev, 0, 2.0 * n * (double)sizeof(T));
}

} // namespace

void cuda_set_schedule(struct device *base, const struct sched_row *rows, int n_rows, int depth) {
    struct cuda_device *dev = cuda_of(base);
    bool thresholds = false;
    for (int i = 0; i < n_rows; i++) thresholds |= rows[i].clip == CLIP_QUANTILE;
    CUDA(StreamSynchronize, dev->stream); /* the last image's steps read the rows */
    prepare_schedule(dev, n_rows, depth, thresholds);
    int head = 0;
    for (int i = 0; i < n_rows; i++) {
        assert(!rows[i].push || depth > 0);
        if (rows[i].push) head = (head + depth - 1) % depth; /* the oldest value's slot becomes the newest's */
        dev->host_rows[i] = {rows[i], head};
        if (depth) head = (head + rows[i].drop) % depth;
    }
    CUDA(MemcpyAsync, dev->rows, dev->host_rows, (size_t)n_rows * sizeof *dev->rows, cudaMemcpyHostToDevice, dev->stream);
    CUDA(MemsetAsync, dev->row_at, 0xff, sizeof *dev->row_at, dev->stream); /* -1 */
}

void cuda_next_row(struct device *base, struct view y, struct view table) {
    struct cuda_device *dev = cuda_of(base);
    DISPATCH(y.dtype, T, launch_next_row<T>(dev, y, table));
}

void cuda_row_input(struct device *base, struct view y, const struct latents *l, int copies) {
    struct cuda_device *dev = cuda_of(base);
    DISPATCH(y.dtype, T, launch_input<T>(dev, y, l->x, copies, 0, dev->rows));
}

void cuda_model_input(struct device *base, struct view y, const float *x, float scale) {
    struct cuda_device *dev = cuda_of(base);
    DISPATCH(y.dtype, T, launch_input<T>(dev, y, x, 1, scale, NULL));
}

void cuda_sched_step_plan(struct device *base, const struct latents *l, struct view, struct guidance) {
    cuda_scratch_reserve(cuda_of(base), (latents_size(l) + 2 * (size_t)l->N) * sizeof(float));
}

void cuda_sched_step(struct device *base, const struct latents *l, struct view out, struct guidance guidance) {
    struct cuda_device *dev = cuda_of(base);
    struct step s = step_of(dev, l, out, guidance);
    DISPATCH(out.dtype, T, launch_step<T>(dev, s));
    double n = (double)latents_size(l);
    count_work(dev, 10 * n, n * 16 + (double)view_rows(out) * out.C * (double)view_item(out));
}
