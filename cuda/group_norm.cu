/* GroupNorm (+ SiLU). Bound by memory, so what is read is kept in registers until its statistics are known.
 *
 * NHWC keeps a group's channels side by side, often fewer than 16 bytes of them (SD 1.5: 10 channels). A block therefore takes a span: the
 * fewest whole groups that make a multiple of 16 bytes, or some more for longer reads. A thread keeps to one 16-byte column of the span and
 * takes every (THREADS / columns)-th pixel, so its channels' group, scale and shift never change.
 *     fused   the image's span fits the registers of one block: one kernel, x is read once
 *     split   else: one kernel leaves the moments of parts of the image in scratch, the next merges them and normalises
 *     plain   rows that are not aligned: a block per group, three passes over memory
 * Statistics are two passes over registers (mean, then squares around it) of x - pivot, the group's first value, merged as Chan, Golub &
 * LeVeque (1979) do: a mean much larger than the deviation costs nothing.
 *
 * Not measured on a GPU yet. */

#include "cuda/device.h"

namespace {

constexpr int THREADS = 512, WARPS = THREADS / 32;
constexpr int FUSED_PIXELS = 16, FUSED_PIXELS_SMALL = 4, SPLIT_PIXELS = 4, APPLY_PIXELS = 2; /* of a thread at a time */
constexpr int GROUPS_MAX = 64;                                                               /* in a span */
constexpr int PARTS_MAX = 128;                                                               /* of an image */

/* Of x - pivot. */
struct alignas(16) moments {
    float n, mean, m2, pivot;
};

struct group_norm {
    const void *x;
    void *y;
    const float *w, *b;
    int pixels; /* of an image */
    int C, ldx, ldy, per_group;
    int span; /* channels of a block: a multiple of per_group and of 16 bytes */
    int parts;
    float eps;
    bool silu;
    struct moments *moments; /* [N, groups, parts] */
};

__device__ __forceinline__ struct moments merge(struct moments a, struct moments b) {
    float n = a.n + b.n, delta = b.mean - a.mean, share = n > 0 ? b.n / n : 0;
    return {n, a.mean + delta * share, a.m2 + b.m2 + delta * delta * a.n * share, a.pivot};
}

/* y = (x - center - rest) * scale + b: an f32 alone cannot hold a mean much larger than the deviation. */
struct affine {
    float center, rest, rstd;
};
__device__ __forceinline__ struct affine affine_of(struct moments m, float eps) {
    float center = m.pivot + m.mean;
    return {center, (m.pivot - center) + m.mean, rsqrtf(m.m2 / m.n + eps)};
}

/* ---- a block's view of a span ------------------------------------------------------------------------------------ */

/* This thread's column and its first row of pixels. */
template <class T> struct place {
    int columns, rows, column, row;
    bool active;
    __device__ __forceinline__ explicit place(const struct group_norm &p) {
        columns = p.span / vec16<T>::N;
        rows = THREADS / columns;
        column = (int)threadIdx.x % columns;
        row = (int)threadIdx.x / columns;
        active = row < rows;
    }
    __device__ __forceinline__ int group(int i, int per_group) const { return (column * vec16<T>::N + i) / per_group; }
    /* Of pixel `pixel` of the image the block works on. */
    __device__ __forceinline__ size_t offset(int pixel, int pixels, int ld, int span) const {
        return ((size_t)blockIdx.z * pixels + pixel) * ld + (size_t)blockIdx.x * span + (size_t)column * vec16<T>::N;
    }
};

/* 16 bytes of T. bf16 by hand: the toolkit's function goes by a 16-bit register for each value. */
template <class T> __device__ __forceinline__ void unpack(float (&x)[vec16<T>::N], const uint4 &raw) {
    if constexpr (std::is_same_v<T, bf16>) {
        const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            x[2 * i] = __uint_as_float(words[i] << 16);
            x[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
        }
    } else {
        vec16<T> v;
        memcpy(&v, &raw, sizeof v);
#pragma unroll
        for (int i = 0; i < vec16<T>::N; i++) x[i] = to_f32(v.v[i]);
    }
}

/* Pixels first + row, first + row + rows, … below end. Kept as they come: 16-bit values one by one would take a register each. */
template <class T, int PIXELS> struct tile {
    uint4 raw[PIXELS];
    int first, end;
    __device__ __forceinline__ bool has(const place<T> &at, int k) const { return at.active && first + at.row + k * at.rows < end; }
    __device__ __forceinline__ void load(const struct group_norm &p, const place<T> &at, int from, int to) {
        first = from, end = to;
        const T *x = static_cast<const T *>(p.x) + at.offset(first + at.row, p.pixels, p.ldx, p.span);
        size_t step = (size_t)at.rows * p.ldx;
#pragma unroll
        for (int k = 0; k < PIXELS; k++) {
            raw[k] = make_uint4(0, 0, 0, 0);
            if (has(at, k)) raw[k] = *reinterpret_cast<const uint4 *>(x + k * step);
        }
    }
    /* y = (x - center) * scale + shift of what was loaded */
    __device__ __forceinline__ void store(const struct group_norm &p, const place<T> &at, const float (&center)[vec16<T>::N],
                                          const float (&scale)[vec16<T>::N], const float (&shift)[vec16<T>::N]) const {
        T *y = static_cast<T *>(p.y) + at.offset(first + at.row, p.pixels, p.ldy, p.span);
        size_t step = (size_t)at.rows * p.ldy;
#pragma unroll
        for (int k = 0; k < PIXELS; k++) {
            if (!has(at, k)) continue;
            vec16<T> out;
            float in[vec16<T>::N];
            unpack<T>(in, raw[k]);
#pragma unroll
            for (int i = 0; i < vec16<T>::N; i++) {
                float u = (in[i] - center[i]) * scale[i] + shift[i];
                out.v[i] = from_f32<T>(p.silu ? silu(u) : u);
            }
            store16(y + k * step, out);
        }
    }
};

/* totals[g] = the sum of part[] over all threads' channels of group g. Called by the whole block; ends with a barrier.
 * Where a thread's channels are of one group, only their sum is handed over. The odd stride avoids bank conflicts. */
template <class T>
__device__ void group_totals(const struct group_norm &p, const place<T> &at, const float (&part)[vec16<T>::N], float *staged,
                             float *totals) {
    constexpr int V = vec16<T>::N;
    bool whole = p.per_group % V == 0;
    int per_group = whole ? p.per_group / V : p.per_group, stride = (whole ? at.columns : p.span) | 1;
    if (at.active && whole) {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < V; i++) sum += part[i];
        staged[at.row * stride + at.column] = sum;
    } else if (at.active) {
#pragma unroll
        for (int i = 0; i < V; i++) staged[at.row * stride + at.column * V + i] = part[i];
    }
    __syncthreads();
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    for (int g = warp; g < p.span / p.per_group; g += WARPS) {
        float sum = 0;
        for (int row = lane; row < at.rows; row += 32)
            for (int i = 0; i < per_group; i++) sum += staged[row * stride + g * per_group + i];
        sum = warp_sum(sum);
        if (lane == 0) totals[g] = sum;
    }
    __syncthreads();
}

/* What group_totals needs, and its results. */
struct group_sums {
    float staged[THREADS * 8 + THREADS], sum[GROUPS_MAX], squares[GROUPS_MAX], pivot[GROUPS_MAX];
};

/* The group's first value in the image. Called by the whole block; ends with a barrier. */
template <class T> __device__ void load_pivots(const struct group_norm &p, struct group_sums &sums) {
    const T *x = static_cast<const T *>(p.x) + (size_t)blockIdx.z * p.pixels * p.ldx + (size_t)blockIdx.x * p.span;
    if ((int)threadIdx.x < p.span / p.per_group) sums.pivot[threadIdx.x] = to_f32(x[threadIdx.x * p.per_group]);
    __syncthreads();
}

/* Moments of the tile by group: n, sum / n and squares around it. */
template <class T, int PIXELS>
__device__ void tile_moments(const struct group_norm &p, const place<T> &at, const tile<T, PIXELS> &t, struct group_sums &sums) {
    constexpr int V = vec16<T>::N;
    float pivot[V], part[V] = {};
#pragma unroll
    for (int i = 0; i < V; i++) pivot[i] = at.active ? sums.pivot[at.group(i, p.per_group)] : 0;
#pragma unroll
    for (int k = 0; k < PIXELS; k++) {
        if (!t.has(at, k)) continue;
        float in[V];
        unpack<T>(in, t.raw[k]);
#pragma unroll
        for (int i = 0; i < V; i++) part[i] += in[i] - pivot[i];
    }
    group_totals<T>(p, at, part, sums.staged, sums.sum);
    float scale = 1.0f / ((float)(t.end - t.first) * (float)p.per_group), mean[V];
#pragma unroll
    for (int i = 0; i < V; i++) {
        mean[i] = at.active ? sums.sum[at.group(i, p.per_group)] * scale : 0;
        part[i] = 0;
    }
#pragma unroll
    for (int k = 0; k < PIXELS; k++) {
        if (!t.has(at, k)) continue;
        float in[V];
        unpack<T>(in, t.raw[k]);
#pragma unroll
        for (int i = 0; i < V; i++) {
            float d = in[i] - pivot[i] - mean[i];
            part[i] += d * d;
        }
    }
    group_totals<T>(p, at, part, sums.staged, sums.squares);
}

/* Group g of the last tile_moments. */
template <class T, int PIXELS>
__device__ __forceinline__ struct moments moments_of(const struct group_norm &p, const tile<T, PIXELS> &t, const struct group_sums &sums,
                                                     int g) {
    float n = (float)(t.end - t.first) * (float)p.per_group;
    return {n, sums.sum[g] / n, sums.squares[g], sums.pivot[g]};
}

/* This thread's channels' part in y = (x - center) * scale + shift. */
template <class T>
__device__ __forceinline__ void channel_affine(const struct group_norm &p, const place<T> &at, const struct affine *groups,
                                               float (&center)[vec16<T>::N], float (&scale)[vec16<T>::N], float (&shift)[vec16<T>::N]) {
    if (!at.active) return;
#pragma unroll
    for (int i = 0; i < vec16<T>::N; i++) {
        int c = (int)blockIdx.x * p.span + at.column * vec16<T>::N + i;
        struct affine a = groups[at.group(i, p.per_group)];
        center[i] = a.center;
        scale[i] = a.rstd * p.w[c];
        shift[i] = p.b[c] - a.rest * scale[i];
    }
}

/* ---- kernels: grid (spans, parts of an image, images) ------------------------------------------------------------ */

template <class T, int PIXELS> __global__ void __launch_bounds__(THREADS, 1) group_norm_fused(const struct group_norm p) {
    SHARED(struct group_sums, sums, [1]);
    SHARED(struct affine, groups, [GROUPS_MAX]);
    const place<T> at(p);
    tile<T, PIXELS> t;
    after_previous();
    t.load(p, at, 0, p.pixels);
    load_pivots<T>(p, sums[0]);
    tile_moments<T, PIXELS>(p, at, t, sums[0]);
    if ((int)threadIdx.x < p.span / p.per_group) groups[threadIdx.x] = affine_of(moments_of(p, t, sums[0], (int)threadIdx.x), p.eps);
    __syncthreads();
    let_next_begin();
    float center[vec16<T>::N], scale[vec16<T>::N], shift[vec16<T>::N];
    channel_affine<T>(p, at, groups, center, scale, shift);
    t.store(p, at, center, scale, shift);
}

/* Part blockIdx.y takes tiles blockIdx.y, blockIdx.y + parts, … */
template <class T> __global__ void __launch_bounds__(THREADS, 2) group_norm_moments(const struct group_norm p) {
    SHARED(struct group_sums, sums, [1]);
    const place<T> at(p);
    int groups = p.span / p.per_group, rows = SPLIT_PIXELS * at.rows;
    struct moments all = {};
    after_previous();
    load_pivots<T>(p, sums[0]);
    for (int first = (int)blockIdx.y * rows; first < p.pixels; first += p.parts * rows) {
        tile<T, SPLIT_PIXELS> t;
        t.load(p, at, first, min(first + rows, p.pixels));
        tile_moments<T, SPLIT_PIXELS>(p, at, t, sums[0]);
        if ((int)threadIdx.x < groups) all = merge(moments_of(p, t, sums[0], (int)threadIdx.x), all);
    }
    size_t group = (size_t)blockIdx.z * (p.C / p.per_group) + (size_t)blockIdx.x * groups + threadIdx.x;
    if ((int)threadIdx.x < groups) p.moments[group * p.parts + blockIdx.y] = all;
}

template <class T> __global__ void __launch_bounds__(THREADS, 2) group_norm_apply(const struct group_norm p) {
    SHARED(struct affine, groups, [GROUPS_MAX]);
    int n_groups = p.span / p.per_group, lane = (int)threadIdx.x % 32;
    after_previous();
    for (int g = (int)threadIdx.x / 32; g < n_groups; g += WARPS) {
        const struct moments *parts = p.moments + ((size_t)blockIdx.z * (p.C / p.per_group) + (size_t)blockIdx.x * n_groups + g) * p.parts;
        struct moments all = {0, 0, 0, parts[0].pivot};
        for (int i = lane; i < p.parts; i += 32) all = merge(all, parts[i]);
#pragma unroll
        for (int o = 16; o; o >>= 1)
            all = merge(all, {__shfl_xor_sync(~0u, all.n, o), __shfl_xor_sync(~0u, all.mean, o), __shfl_xor_sync(~0u, all.m2, o), 0});
        if (lane == 0) groups[g] = affine_of(all, p.eps);
    }
    __syncthreads();
    const place<T> at(p);
    float center[vec16<T>::N], scale[vec16<T>::N], shift[vec16<T>::N];
    channel_affine<T>(p, at, groups, center, scale, shift);
    int rows = APPLY_PIXELS * at.rows;
    for (int first = (int)blockIdx.y * rows; first < p.pixels; first += (int)gridDim.y * rows) {
        tile<T, APPLY_PIXELS> t;
        t.load(p, at, first, min(first + rows, p.pixels));
        t.store(p, at, center, scale, shift);
    }
}

/* One group of one image; sums of pixels, then of pixels' sums, so that none is long. */
template <class T> __global__ void __launch_bounds__(THREADS) group_norm_plain(const struct group_norm p) {
    SHARED(float, shared, [WARPS]);
    int c0 = (int)blockIdx.x * p.per_group;
    const T *x = static_cast<const T *>(p.x) + (size_t)blockIdx.z * p.pixels * p.ldx + c0;
    T *y = static_cast<T *>(p.y) + (size_t)blockIdx.z * p.pixels * p.ldy + c0;
    after_previous();
    float n = (float)p.pixels * (float)p.per_group, pivot = to_f32(x[0]), sum = 0, squares = 0;
    for (int i = (int)threadIdx.x; i < p.pixels; i += THREADS) {
        float s = 0;
        for (int c = 0; c < p.per_group; c++) s += to_f32(x[(size_t)i * p.ldx + c]) - pivot;
        sum += s;
    }
    float mean = block_sum<WARPS>(sum, shared) / n;
    for (int i = (int)threadIdx.x; i < p.pixels; i += THREADS) {
        float s = 0;
        for (int c = 0; c < p.per_group; c++) {
            float d = to_f32(x[(size_t)i * p.ldx + c]) - pivot - mean;
            s += d * d;
        }
        squares += s;
    }
    struct affine a = affine_of({n, mean, block_sum<WARPS>(squares, shared), pivot}, p.eps);
    for (int i = (int)threadIdx.x; i < p.pixels; i += THREADS)
        for (int c = 0; c < p.per_group; c++) {
            float scale = a.rstd * p.w[c0 + c];
            float u = (to_f32(x[(size_t)i * p.ldx + c]) - a.center) * scale + (p.b[c0 + c] - a.rest * scale);
            y[(size_t)i * p.ldy + c] = from_f32<T>(p.silu ? silu(u) : u);
        }
}

/* ---- which path, and the op -------------------------------------------------------------------------------------- */

enum path { PLAIN, FUSED_SMALL, FUSED, SPLIT };

int gcd(int a, int b) {
    return b ? gcd(b, a % b) : a;
}

bool fits(const struct group_norm &p, int V, int span) {
    return p.pixels <= FUSED_PIXELS * (THREADS / (span / V));
}

/* Chooses p->span and p->parts; the same for the same shape whatever the views' addresses. */
enum path choose(const struct cuda_device *dev, struct group_norm *p, int N, enum dtype dtype) {
    int V = 16 / (int)dtype_table[dtype].size, unit = p->per_group / gcd(p->per_group, V) * V, span = unit;
    if (p->C % unit || unit / V > THREADS || unit / p->per_group > GROUPS_MAX) return PLAIN;
    bool fused = fits(*p, V, span);
    int wanted = fused ? 4 * V : 8 * V; /* 64 or 128 bytes: reads as long as the caches' lines */
    while (span < wanted && p->C % (2 * span) == 0 && 2 * span / p->per_group <= GROUPS_MAX && (!fused || fits(*p, V, 2 * span))) span *= 2;
    int rows = THREADS / (span / V);
    p->span = span;
    if (fused) return p->pixels <= FUSED_PIXELS_SMALL * rows ? FUSED_SMALL : FUSED;
    int64_t tiles = ceil_div(p->pixels, SPLIT_PIXELS * rows), wide = ceil_div(2 * dev->sm_count, (int64_t)N * (p->C / span));
    p->parts = (int)min(min(tiles, wide), (int64_t)PARTS_MAX);
    return SPLIT;
}

struct group_norm shape_of(struct view x, int groups) {
    struct group_norm p = {};
    p.pixels = x.H * x.W;
    p.C = x.C;
    p.ldx = x.ld;
    p.per_group = x.C / groups;
    p.parts = 1;
    return p;
}

template <class T> void launch_group_norm(struct cuda_device *dev, const struct group_norm &p, enum path path, int N) {
    if (path == PLAIN) {
        launch(dev, group_norm_plain<T>, dim3((unsigned)(p.C / p.per_group), 1, (unsigned)N), dim3(THREADS), 0, p);
        return;
    }
    unsigned spans = (unsigned)(p.C / p.span);
    int rows = THREADS / (p.span / vec16<T>::N);
    if (path == FUSED_SMALL) launch(dev, group_norm_fused<T, FUSED_PIXELS_SMALL>, dim3(spans, 1, (unsigned)N), dim3(THREADS), 0, p);
    if (path == FUSED) launch(dev, group_norm_fused<T, FUSED_PIXELS>, dim3(spans, 1, (unsigned)N), dim3(THREADS), 0, p);
    if (path != SPLIT) return;
    int64_t tiles = ceil_div(p.pixels, APPLY_PIXELS * rows), wide = ceil_div(4 * dev->sm_count, (int64_t)N * spans);
    launch(dev, group_norm_moments<T>, dim3(spans, (unsigned)p.parts, (unsigned)N), dim3(THREADS), 0, p);
    launch(dev, group_norm_apply<T>, dim3(spans, (unsigned)min(tiles, wide), (unsigned)N), dim3(THREADS), 0, p);
}

} // namespace

void cuda_group_norm_plan(struct device *base, struct view, struct view x, struct weight *w, struct weight *b, int groups, float, bool) {
    struct cuda_device *dev = cuda_of(base);
    cuda_plan_dense(dev, w, x.dtype);
    cuda_plan_dense(dev, b, x.dtype);
    struct group_norm p = shape_of(x, groups);
    if (choose(dev, &p, x.N, x.dtype) == SPLIT) cuda_scratch_reserve(dev, (size_t)x.N * groups * p.parts * sizeof(struct moments));
}

void cuda_group_norm(struct device *base, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                     bool silu) {
    struct cuda_device *dev = cuda_of(base);
    struct group_norm p = shape_of(x, groups);
    p.x = x.p, p.y = y.p;
    p.ldy = y.ld;
    p.w = static_cast<const float *>(cuda_packed(dev, w));
    p.b = static_cast<const float *>(cuda_packed(dev, b));
    p.eps = eps;
    p.silu = silu;
    p.moments = static_cast<struct moments *>(dev->scratch);
    enum path path = !cuda_forced.plain && rows_aligned(x) && rows_aligned(y) ? choose(dev, &p, x.N, x.dtype) : PLAIN;
    DISPATCH(x.dtype, T, launch_group_norm<T>(dev, p, path, x.N));
    double n = (double)view_rows(x) * x.C;
    count_work(dev, 8 * n, 2 * n * (double)view_item(x));
}
