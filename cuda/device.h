/* The CUDA device's own header. An op has two functions, as on the CPU: cuda_X_plan reserves scratch and decides each
 * weight's layout; cuda_X launches kernels on dev->stream and returns. The contract of ops.h has been asserted by then
 * (engine/ops_check.h), and ops without weights or scratch have no plan.
 *
 * Kernels are templates over the element type T (float, f16, bf16); an op dispatches on its views' dtype with DISPATCH. Two kinds of
 * path: tensor cores (has_tensor_path(): 16-bit T, sm_80 or later, 16-byte rows), and plain ones that take any shape, type and GPU.
 *
 * The step of the denoising loop is captured into a graph: an op may launch kernels and enqueue copies on dev->stream, and nothing else
 * that the host would do differently the next time. Ops that talk to the host (upload, download, to_rgb8) are not used inside it.
 *
 * C++ frames that die() passes own nothing: no destructors across a call that can die. */
#ifndef CUDA_DEVICE_H
#define CUDA_DEVICE_H

#include "cuda/api.h"
#include "cuda/portable.h"

extern "C" {
#define _Noreturn [[noreturn]]
#include "cuda/cuda.h"
#include "cuda/forced.h"
#include "engine/device.h"
#include "engine/base/error.h"
#include "engine/base/sys.h"
#include "engine/ops.h"
#include "engine/weights.h"
}

struct cublaslt;
struct loader;
struct transfer;

/* One row of the schedule as kernels read it. */
struct cuda_row {
    struct sched_row row;
    int head; /* d[k] of the row, once pushed, lies in slot (head + k) % depth */
};

struct cuda_device {
    struct device base; /* first: a struct device * of this device is a struct cuda_device * */
    char name[16], product[256];
    int index, sm_count;
    int arch;   /* 75, 80, 86, 89, 90, 100, 120 */
    int code;   /* what its code was compiled for: lower where the driver made it of an older architecture's PTX */
    bool early; /* kernels may begin before the one before has ended (after_previous) */
    cudaStream_t stream;
    size_t scratch_bytes;    /* the largest reservation of any op */
    size_t scratch_capacity; /* at scratch */
    char *arena;             /* [arena_capacity], where arena_base points outside planning */
    int round;               /* of planning */
    void *scratch;           /* allocated by plan_end, 256-byte aligned; an op's contents do not outlive the op */
    struct cuda_plan *plans;
    struct cuda_block *blocks;
    struct cublaslt *blaslt;   /* NULL where the library cannot be opened */
    struct transfer *transfer; /* pinned memory for latents; NULL before the first */
    struct loader *loader;     /* streams the weights; NULL before weights_load */
    bool capturing;            /* replay.cu: the stream is being captured, or was when a job died */
    unsigned baked;            /* counts the changes of what a recording bakes in beside its operands: where rows, scratch and blocks
                                * lie, how deep the history is */

    struct cuda_row *rows;      /* [rows_capacity] device memory */
    struct cuda_row *host_rows; /* [rows_capacity] what is copied there: not pinned, so it may be read until the stream is waited for */
    int *row_at;                /* device memory: the row under way, -1 before the first */
    int rows_capacity, depth;
    bool thresholds; /* some row clips by quantile */

    struct device_work counts; /* since the last reset: what was launched, and what it had to do */
    cudaEvent_t *marks;        /* [n_marks], of the clock */
    int n_marks;
};

static inline struct cuda_device *cuda_of(struct device *dev) {
    return (struct cuda_device *)dev;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* The layout planning chose. Element (k,c,rs) of the file's [K,C,RS] (RS = R*R of a convolution, else 1) goes to
 *     row(k) * row_stride + rs * c_stride + c        of `dtype`
 * with row(k) = k, or, where interleave = b > 0 (GEGLU's [2K,C]), rows regrouped as b values, b gates, b values …
 * What lies between is zero. Vectors are f32 always. Sums of a filter's elements by phases, [2,2][K,2,2,C], lie behind them. */
struct cuda_plan {
    enum dtype dtype;
    int64_t K, C, RS;
    int64_t row_stride, c_stride;
    int interleave;
    bool as_given, by_phases; /* what of it is wanted: the elements, sums of them, or both */
    size_t phases_at;         /* bytes before the sums */
    size_t packed_bytes;
    int round;              /* of planning: the one it was last used in */
    int pending;            /* pieces the loader has yet to deliver; atomic */
    struct cuda_plan *next; /* in the device's list, for close */
};

/* w in the file's own order, of dtype (vectors f32). Does nothing for NULL. All uses of a weight want the same layout; where
 * planning again wants another one, w is stale. */
void cuda_plan_dense(struct cuda_device *dev, struct weight *w, enum dtype dtype);
/* w [K,C,R,R] as [K,R,R,c_padded]: rows of consecutive channels, padded with zeros. */
void cuda_plan_krsc(struct cuda_device *dev, struct weight *w, int c_padded, enum dtype dtype);
/* w [K,C,3,3] of a convolution of an enlarged picture as [2,2][K,2,2,C], the four 2x2 filters of gemm.h, summed in f32: of a filter's three
 * rows, and columns alike, phase 0 has {0, 1+2} and phase 1 {0+1, 2}. Where other uses want the filter as it is, both are kept. */
void cuda_plan_phases(struct cuda_device *dev, struct weight *w, enum dtype dtype);
/* w [2K,C] with value and gate rows interleaved by `interleave` (K % interleave == 0); also for its bias [2K]. */
void cuda_plan_interleaved(struct cuda_device *dev, struct weight *w, int interleave, enum dtype dtype);
/* The packed values, NULL for NULL. Blocks until the loader has delivered w; dies FAIL_IO where it could not. */
const void *cuda_packed(struct cuda_device *dev, const struct weight *w);
const void *cuda_packed_phases(struct cuda_device *dev, const struct weight *w);

/* The op will need this many bytes of dev->scratch. */
void cuda_scratch_reserve(struct cuda_device *dev, size_t bytes);

/* ---- launching --------------------------------------------------------------------------------------------------- */

/* Rounded up. */
constexpr int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* kernel<<<grid, block, shared_bytes, stream>>>(args...), args converted to what the kernel declares; more than 48 KiB of shared memory is
 * asked for as it must be. early: it may begin before the one before it has ended (after_previous). cluster: so many blocks, side by side
 * along y, run at once (cluster_barrier); 1: each by itself. From any thread. */
template <class... P>
cudaError_t launch_on(cudaStream_t stream, bool early, int cluster, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
                      std::type_identity_t<P>... args) {
    const void *address = reinterpret_cast<const void *>(kernel);
    if (shared_bytes > 48 << 10) {
        cudaError_t error = cuda.FuncSetAttribute(address, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes);
        if (error) return error;
    }
#ifdef __CUDACC__
    void *addresses[] = {(void *)&args..., nullptr};
    cudaLaunchAttribute attributes[2] = {};
    unsigned n = 0;
    if (early) {
        attributes[n].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attributes[n++].val.programmaticStreamSerializationAllowed = 1;
    }
    if (cluster > 1) {
        attributes[n].id = cudaLaunchAttributeClusterDimension;
        attributes[n].val.clusterDim.x = attributes[n].val.clusterDim.z = 1;
        attributes[n++].val.clusterDim.y = (unsigned)cluster;
    }
    cudaLaunchConfig_t config = {grid, block, shared_bytes, stream, attributes, n};
    return cuda.LaunchKernelExC(&config, address, addresses);
#else
    emu::launch_as(early, cluster, kernel, grid, block, shared_bytes, stream, args...);
    return cuda.GetLastError();
#endif
}
/* The same on the device's stream; dies where the launch fails. Main thread only. */
template <class... P>
void launch_cluster(struct cuda_device *dev, int cluster, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
                    std::type_identity_t<P>... args) {
    dev->counts.launches++;
    cuda_check(launch_on(dev->stream, dev->early, cluster, kernel, grid, block, shared_bytes, args...), "kernel launch");
}
template <class... P>
void launch(struct cuda_device *dev, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, std::type_identity_t<P>... args) {
    launch_cluster(dev, 1, kernel, grid, block, shared_bytes, args...);
}

/* Blocks of `block` threads for a GRID_LOOP over n. */
static inline dim3 grid_for(const struct cuda_device *dev, size_t n, int block) {
    int64_t blocks = ceil_div((int64_t)n, block), most = (int64_t)dev->sm_count * 16;
    return dim3((unsigned)(blocks < 1 ? 1 : blocks < most ? blocks : most));
}

__device__ __forceinline__ float activated(enum act act, float v) {
    switch (act) {
    case ACT_SILU: return silu(v);
    case ACT_QUICK_GELU: return quick_gelu(v);
    case ACT_GELU: return gelu_erf(v);
    case ACT_RELU: return relu(v);
    default: return v;
    }
}

/* What the op just launched had to do, at least: for reports. */
static inline void count_work(struct cuda_device *dev, double flop, double bytes) {
    dev->counts.flop += flop;
    dev->counts.bytes += bytes;
}

/* DISPATCH(dtype, T, statement using T); */
#define DISPATCH(dtype, T, ...) \
    do {                        \
        switch (dtype) {        \
        case DT_F32: {          \
            typedef float T;    \
            __VA_ARGS__;        \
            break;              \
        }                       \
        case DT_F16: {          \
            typedef f16 T;      \
            __VA_ARGS__;        \
            break;              \
        }                       \
        default: {              \
            typedef bf16 T;     \
            __VA_ARGS__;        \
            break;              \
        }                       \
        }                       \
    } while (0)
/* The same for the 16-bit types alone. */
#define DISPATCH_HALF(dtype, T, ...) \
    do {                             \
        if ((dtype) == DT_F16) {     \
            typedef f16 T;           \
            __VA_ARGS__;             \
        } else {                     \
            typedef bf16 T;          \
            __VA_ARGS__;             \
        }                            \
    } while (0)

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* Every row of v begins at a multiple of 16 bytes. While planning, p is the arena's count, aligned as the memory will be. */
static inline bool rows_aligned(struct view v) {
    size_t e = view_item(v);
    return v.ld * e % 16 == 0 && (v.N <= 1 || v.image * e % 16 == 0) && (uintptr_t)v.p % 16 == 0;
}
/* The GPU and this program's code for it are of this architecture or a later one. */
static inline bool has_arch(const struct cuda_device *dev, int arch) {
    return dev->arch >= arch && dev->code >= arch;
}
/* Tensor cores and 16-byte copies can be used at all. */
static inline bool has_tensor_path(const struct cuda_device *dev, enum dtype dtype) {
    return !cuda_forced.plain && dtype != DT_F32 && has_arch(dev, 80);
}

/* ---- the ops, one family per file -------------------------------------------------------------------------------- */

extern "C" {
op_conv2d cuda_conv2d_plan, cuda_conv2d;                         /* conv2d.cu */
op_linear cuda_linear_plan, cuda_linear;                         /* linear.cu */
op_linear_geglu cuda_linear_geglu_plan, cuda_linear_geglu;       /* linear.cu */
op_attention cuda_attention;                                     /* attention.cu */
op_group_norm cuda_group_norm_plan, cuda_group_norm;             /* group_norm.cu */
op_layer_norm cuda_layer_norm_plan, cuda_layer_norm;             /* layer_norm.cu */
op_embed cuda_embed_plan, cuda_embed;                            /* embed.cu */
op_timestep_embed cuda_timestep_embed_plan, cuda_timestep_embed; /* embed.cu */
op_modulate cuda_modulate;                                       /* elementwise.cu */
op_silu cuda_silu;                                               /* elementwise.cu */
op_add cuda_add;                                                 /* elementwise.cu */
op_resize cuda_resize;                                           /* resize.cu */
op_max_pool cuda_max_pool;                                       /* max_pool.cu */
op_model_input cuda_model_input;                                 /* sched_step.cu */
op_row_input cuda_row_input;                                     /* sched_step.cu */
op_set_schedule cuda_set_schedule;                               /* sched_step.cu */
op_next_row cuda_next_row;                                       /* sched_step.cu */
op_sched_step cuda_sched_step_plan, cuda_sched_step;             /* sched_step.cu */
op_to_rgb8 cuda_to_rgb8_plan, cuda_to_rgb8;                      /* transfer.cu */
op_upload cuda_upload;                                           /* transfer.cu */
op_download cuda_download;                                       /* transfer.cu */
op_upload_latents cuda_upload_latents;                           /* transfer.cu */
op_download_latents cuda_download_latents;                       /* transfer.cu */
}

/* The weights' way from file to device (load.cu). */
struct loader *loader_start(struct cuda_device *dev, struct weight *const items[], int n);
/* Waits until w, or everything, has been delivered; dies FAIL_IO where it could not be. Milliseconds from start to end. */
void loader_wait(struct loader *l, const struct weight *w);
double loader_wait_all(struct loader *l);
/* Drops one that failed: who waits for what it has not delivered dies until that is loaded again. */
void loader_forget(struct cuda_device *dev);
void loader_stop(struct loader *l); /* frees it, done or not; NULL is fine */
size_t loader_staging(void);        /* bytes of device memory it holds */
/* Copies bytes raw[i] of each part and brings them into w's layout; synchronises. False where the device has no memory. */
bool weight_pack(struct cuda_device *dev, struct weight *w, const void *const raw[]);

/* The step's graph and the clock (replay.cu): struct device's slots of these names. */
struct recording *recording_new(struct device *dev);
void recording_free(struct device *dev, struct recording *r);
void replay(struct device *dev, struct recording *r, void (*work)(void *data), void *data, size_t bytes);
void recover(struct device *dev);
void time_begin(struct device *dev, int n);
void time_mark(struct device *dev, int i);
double time_wait(struct device *dev, int i);
void time_close(struct cuda_device *dev);

/* Any kernel of this program: whether the GPU has code for it tells whether it has code for all. */
const void *cuda_probe_kernel(void);

/* What transfer.cu keeps: pinned memory for the latents' noise. close also after a failure in open. */
void transfer_open(struct cuda_device *dev);
void transfer_close(struct cuda_device *dev);

extern "C" {
/* cuBLASLt (cublaslt.cu): dlopen runs on a thread of its own, begun here and joined by the first GEMM. Never dies: without the library,
 * or where it refuses a shape, cublaslt_linear returns -1 and our own GEMM takes over. */
struct cublaslt *cublaslt_open(void);
void cublaslt_close(struct cublaslt *lt);
/* Who computes plain products, for people; waits for the library to be opened. Lives as long as lt does. */
const char *cublaslt_products(struct cublaslt *lt);
/* Planning begins again: the copies of biases are made anew. */
void cublaslt_plan_begin(struct cublaslt *lt);
/* Biases went: where they lay, others may come to lie. The copies are made anew, where they were. */
void cublaslt_forget_biases(struct cublaslt *lt);
/* Bytes of dev->scratch the GEMM wants, while planning. */
size_t cublaslt_scratch(const struct cuda_device *dev, enum dtype dtype, int64_t K);
/* y = x wᵀ + b + residual, w dense [K,C] of x's dtype, b f32 [K] or NULL, residual none or any [T,K] (y = residual too). Which of the
 * library's proposals computed it, from 0; -1: none. */
int cublaslt_linear(struct cuda_device *dev, struct view y, struct view x, const void *w, const float *b, struct view residual);
}

#endif
