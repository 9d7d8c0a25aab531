/* What a kernel may use: the only file that knows which of two compilers reads it. nvcc makes GPU code of a .cu; g++ with test/emu first
 * on the include path makes code in which a block's threads are fibers and the wrappers below exchange lanes on the host.
 *
 * A kernel obeys: launch(), SHARED, DYNAMIC_SHARED and the wrappers below, never <<<>>>, __shared__ or asm; block size a constant, a
 * multiple of 32; no return before a barrier (mask the work instead); warp operations with all lanes, or with a mask that all named lanes
 * execute; only __syncwarp, __syncthreads and cluster_barrier order threads; rows that are read by 16 bytes are aligned to 16; every
 * cp_async waited for before the kernel returns; no block waits for another, but in cluster_barrier; no memory of the device is touched
 * before after_previous(). */
#ifndef CUDA_PORTABLE_H
#define CUDA_PORTABLE_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <type_traits>

typedef __half f16;
typedef __nv_bfloat16 bf16;

/* Tensor-core kernels are compiled for sm_75 too, so that one list of architectures serves all files, but never launched there. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define BEFORE_SM_80
#endif

#ifdef __CUDACC__
#define SHARED(T, name, dims) __shared__ T name dims
#define DYNAMIC_SHARED(T, name)                                       \
    extern __shared__ __align__(128) unsigned char dynamic_shared_[]; \
    T *name = reinterpret_cast<T *>(dynamic_shared_)
#else
#include "emu.h"
#endif

/* for (i in [0,n)) spread over the whole grid */
#define GRID_LOOP(i, n)                                                                                                          \
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x, grid_step_ = (size_t)gridDim.x * blockDim.x; i < (size_t)(n); \
         i += grid_step_)

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* 16 bytes of T, read at once; written by store16, for nvcc takes an assignment apart, value by value. */
template <class T> struct alignas(16) vec16 {
    static constexpr int N = 16 / sizeof(T);
    T v[N];
};
/* V of them: 16 bytes, or one where rows are not aligned to more. */
template <class T, int V> struct alignas(V * sizeof(T)) vec { T v[V]; };
template <class T, int V> __device__ __forceinline__ const vec<T, V> &vec_at(const void *p, size_t i) {
    return *reinterpret_cast<const vec<T, V> *>(static_cast<const T *>(p) + i);
}
template <class T> __device__ __forceinline__ void store16(void *p, const vec16<T> &v) {
    uint4 raw;
    memcpy(&raw, &v, sizeof raw);
    __stcg(static_cast<uint4 *>(p), raw);
}

__device__ __forceinline__ float to_f32(float x) {
    return x;
}
__device__ __forceinline__ float to_f32(f16 x) {
    return __half2float(x);
}
__device__ __forceinline__ float to_f32(double x) {
    return (float)x;
}
__device__ __forceinline__ float to_f32(bf16 x) {
    return __bfloat162float(x);
}
template <class T> __device__ __forceinline__ T from_f32(float x);
template <> __device__ __forceinline__ float from_f32<float>(float x) {
    return x;
}
template <> __device__ __forceinline__ f16 from_f32<f16>(float x) {
    return __float2half_rn(x);
}
template <> __device__ __forceinline__ bf16 from_f32<bf16>(float x) {
    return __float2bfloat16_rn(x);
}

/* Two values in 32 bits, the first in the low half: a register of an mma operand. */
template <class T> __device__ __forceinline__ uint32_t pack2(float a, float b) {
    uint32_t r;
    if constexpr (std::is_same_v<T, f16>) {
        __half2 pair = __floats2half2_rn(a, b);
        memcpy(&r, &pair, 4);
    } else {
        __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
        memcpy(&r, &pair, 4);
    }
    return r;
}

/* 2^x in one instruction, to 2 units in the last place; below 2^-126 it is 0. */
__device__ __forceinline__ float exp2_approx(float x) {
#ifdef __CUDACC__
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
    return y;
#else
    return exp2f(x);
#endif
}

/* The larger of two; NaN where one of them is, which fmaxf passes over. */
__device__ __forceinline__ float max_nan(float a, float b) {
#if defined(__CUDACC__) && !defined(BEFORE_SM_80)
    float y;
    asm("max.NaN.f32 %0, %1, %2;\n" : "=f"(y) : "f"(a), "f"(b));
    return y;
#else
    return a > b || a != a ? a : b;
#endif
}

/* __fdividef: 2 units in the last place, without a division's branch for what is subnormal; above 2^126 it is 0. */
__device__ __forceinline__ float silu(float x) {
    return __fdividef(x, 1.0f + __expf(-x));
}
__device__ __forceinline__ float gelu_erf(float x) {
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
}
__device__ __forceinline__ float relu(float x) {
    return x < 0 ? 0 : x; /* NaN stays */
}
__device__ __forceinline__ float quick_gelu(float x) {
    return __fdividef(x, 1.0f + __expf(-1.702f * x));
}

/* ---- one kernel after another (sm_90) ---------------------------------------------------------------------------- */

/* From which architecture on. Emulated, on all: whether kernels keep the rule does not depend on it. */
#ifdef __CUDACC__
constexpr int EARLY_ARCH = 90;
#else
constexpr int EARLY_ARCH = 0;
#endif

/* PTX ISA, griddepcontrol: a kernel of launch() may begin while the one before it ends, in the same order as ever where a GPU knows nothing
 * of it. Every thread of it says after_previous() before it touches the device's memory: then all kernels before it have ended, for the one
 * before has waited too, and what they wrote is seen. What comes first is worth doing early: places, tables in shared memory. */
__device__ __forceinline__ void after_previous() {
#ifndef __CUDACC__
    emu::after_previous(__FILE__, __LINE__);
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}
/* The next kernel may begin once all blocks have said so or ended: before the last of a long kernel's work, no sooner, for its blocks take
 * the places on the GPU that ours leave. A matter of time alone. */
__device__ __forceinline__ void let_next_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}

/* ---- blocks that run at once (sm_90) ----------------------------------------------------------------------------- */

/* From which architecture on. */
constexpr int CLUSTER_ARCH = EARLY_ARCH, MOST_CLUSTER = 8;

/* PTX ISA, barrier.cluster: all threads of the blocks that launch_cluster() keeps together wait for each other; what any of them has
 * written to the device's memory is then seen by all. Emulated, for kernels whose shared memory is DYNAMIC_SHARED alone. */
__device__ __forceinline__ void cluster_barrier() {
#ifndef __CUDACC__
    emu::cluster_barrier(__FILE__, __LINE__);
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;\n" ::: "memory");
#else
    __trap();
#endif
}

/* ---- asynchronous copies to shared memory (sm_80) ---------------------------------------------------------------- */

/* 16 bytes from gmem to smem, or 16 zero bytes where not valid (gmem must still be an address). Both 16-byte aligned. L2 is told to fetch
 * the whole line: a row's next step reads the other half of it. */
__device__ __forceinline__ void cp_async16(void *smem, const void *gmem, bool valid) {
#ifdef BEFORE_SM_80
    __trap();
#elif defined(__CUDACC__)
    unsigned s = (unsigned)__cvta_generic_to_shared(smem);
    int n = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n" ::"r"(s), "l"(gmem), "r"(n) : "memory");
#else
    emu::cp_async(smem, gmem, 16, valid ? 16 : 0);
#endif
}
__device__ __forceinline__ void cp_async_commit() {
#ifdef BEFORE_SM_80
    __trap();
#elif defined(__CUDACC__)
    asm volatile("cp.async.commit_group;\n" ::: "memory");
#else
    emu::cp_commit();
#endif
}
/* Waits until at most N of this thread's groups are under way. */
template <int N> __device__ __forceinline__ void cp_async_wait() {
#ifdef BEFORE_SM_80
    __trap();
#elif defined(__CUDACC__)
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
#else
    emu::cp_wait(N);
#endif
}

/* ---- tensor cores (sm_80): PTX ISA, "Warp-level matrix instructions" --------------------------------------------- */

/* X 8x8 matrices of 16-bit values. Lane 8m+i gives the address of row i of matrix m; lane l receives in r[m] the two values
 * (l/4, 2(l%4)) and (l/4, 2(l%4)+1), or those of the transpose. X = 2: the addresses of lanes 16..31 are not used. */
template <int X, bool TRANSPOSE> __device__ __forceinline__ void ldmatrix(uint32_t (&r)[X], const void *row) {
    static_assert(X == 2 || X == 4, "");
#ifdef BEFORE_SM_80
    __trap();
#elif defined(__CUDACC__)
    unsigned s = (unsigned)__cvta_generic_to_shared(row);
    if constexpr (X == 4 && !TRANSPOSE)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(s)
                     : "memory");
    if constexpr (X == 4 && TRANSPOSE)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(s)
                     : "memory");
    if constexpr (X == 2 && !TRANSPOSE)
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n" : "=r"(r[0]), "=r"(r[1]) : "r"(s) : "memory");
    if constexpr (X == 2 && TRANSPOSE)
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];\n" : "=r"(r[0]), "=r"(r[1]) : "r"(s) : "memory");
#else
    emu::ldmatrix<X, TRANSPOSE>(r, row);
#endif
}

/* d [16,8] += a [16,16] b [16,8]; f32 accumulation. With g = lane/4, t = 2(lane%4):
 *   a: (g,t..) (g+8,t..) (g,t+8..) (g+8,t+8..)    b: (t..,g) (t+8..,g)    d: (g,t) (g,t+1) (g+8,t) (g+8,t+1) */
template <class T> __device__ __forceinline__ void mma_16816(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef BEFORE_SM_80
    __trap();
#elif defined(__CUDACC__)
    if constexpr (std::is_same_v<T, f16>)
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    else
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    emu::mma_16816<T>(d, a, b);
#endif
}

/* ---- reductions -------------------------------------------------------------------------------------------------- */

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(~0u, v, o);
    return v;
}

/* Over a block of WARPS warps, for every thread of it. shared [WARPS] may be used for one sum after another. */
template <int WARPS> __device__ float block_sum(float v, float *shared) {
    v = warp_sum(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < WARPS; i++) sum += shared[i];
    return sum;
}

#endif
