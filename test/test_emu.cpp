/* The emulation itself: what must work works, and what must be caught is caught.
 *
 *     test_emu             every check, also under lazy streams and other orders of threads, then every planted fault
 *     test_emu checks      the checks alone
 *     test_emu fault X     one planted fault: ends badly where this build can see it
 *
 * A fault runs in a child process; how it must end is in the table at the bottom. */
#include "cuda/portable.h"
#include <atomic>
#include <cublasLt.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

enum build { RELEASE = 1, ASAN = 2, TSAN = 4, ANY = 7, NONE = 8 };
#if defined(__SANITIZE_THREAD__)
static const int this_build = TSAN;
#elif defined(__SANITIZE_ADDRESS__)
static const int this_build = ASAN;
#else
static const int this_build = RELEASE;
#endif

static int failures;

static void check(bool ok, const char *what) {
    printf("%s  %s\n", ok ? "ok   " : "FAIL ", what);
    failures += !ok;
}

static void *device_memory(size_t bytes) {
    void *p = nullptr;
    if (cudaMalloc(&p, bytes)) fprintf(stderr, "test_emu: no memory\n"), exit(2);
    return p;
}
static float *device_floats(size_t n) {
    return static_cast<float *>(device_memory(n * sizeof(float)));
}

static cudaStream_t new_stream() {
    cudaStream_t s;
    if (cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking)) exit(2);
    return s;
}

template <class T> static std::vector<T> fetch(const T *p, size_t n, cudaStream_t s = nullptr) {
    std::vector<T> v(n);
    cudaMemcpyAsync(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost, s);
    cudaStreamSynchronize(s);
    return v;
}

/* ---- kernels that are right -------------------------------------------------------------------------------------- */

static __global__ void fill(float *x, size_t n, float v) {
    GRID_LOOP(i, n) x[i] = v + (float)i;
}

/* x[blockIdx.x] = the sum of (blockDim.x values, each its thread's number), twice over the same scratch. */
template <int THREADS, bool SECOND_BARRIER> static __global__ void sum_twice(float *x) {
    SHARED(float, scratch, [THREADS / 32]);
    float total = 0;
    for (int round = 0; round < 2; round++) {
        float v = warp_sum((float)threadIdx.x + (float)round);
        if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
        __syncthreads();
        float s = 0;
        for (int i = 0; i < THREADS / 32; i++) s += scratch[i];
        total += s;
        if (SECOND_BARRIER) __syncthreads();
    }
    x[blockIdx.x * THREADS + threadIdx.x] = total;
}

static __global__ void warp_words(unsigned *out) {
    unsigned t = threadIdx.x, lane = t % 32, *o = out + t * 10;
    o[0] = __shfl_xor_sync(~0u, t, 5);
    o[1] = __shfl_down_sync(~0u, t, 3);
    o[2] = __shfl_up_sync(~0u, t, 3);
    o[3] = __shfl_sync(~0u, t, 7);
    o[4] = __shfl_xor_sync(~0u, t, 4, 8);
    o[5] = __shfl_sync(~0u, t, 1, 8);
    o[6] = __ballot_sync(~0u, lane % 3 == 0);
    o[7] = (unsigned)__any_sync(~0u, lane == 9) * 2 + (unsigned)__all_sync(~0u, lane < 31);
    o[8] = lane < 8 ? __shfl_xor_sync(0xffu, t, 1) : __ballot_sync(~0xffu, lane & 1);
    o[9] = (unsigned)__syncthreads_count((int)(t < 40)) * 4 + (unsigned)__syncthreads_or(t == 63) * 2 + (unsigned)__syncthreads_and(t < 64);
}

/* Blocks leave a partial sum each; the last one adds them up. */
static __global__ void last_block(float *partial, unsigned *arrived, float *out) {
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = (float)blockIdx.x;
        __threadfence();
        if (atomicAdd(arrived, 1u) == gridDim.x - 1) {
            __threadfence();
            float s = 0;
            for (unsigned i = 0; i < gridDim.x; i++) s += partial[i];
            *out = s;
        }
    }
}

/* Twice: each of a cluster's blocks, in its own shared memory first, doubles what its next one has. */
template <int CLUSTER, bool BARRIERS> static __global__ void pass_on(float *x) {
    DYNAMIC_SHARED(float, own);
    after_previous();
    unsigned next = blockIdx.y / CLUSTER * CLUSTER + (blockIdx.y + 1) % CLUSTER;
    for (int round = 0; round < 2; round++) {
        own[threadIdx.x] = 2 * x[(next * gridDim.x + blockIdx.x) * 64 + threadIdx.x];
        if (BARRIERS) cluster_barrier();
        x[(blockIdx.y * gridDim.x + blockIdx.x) * 64 + 63 - threadIdx.x] = own[threadIdx.x];
        if (BARRIERS) cluster_barrier();
    }
}

/* Rows of 64 floats through a ring of two slots of shared memory. */
template <int KEEP> static __global__ void copy_pipeline(const float *in, float *out, int rows) {
    DYNAMIC_SHARED(float, ring);
    cp_async16(ring + threadIdx.x * 4, in + threadIdx.x * 4, true);
    cp_async_commit();
    for (int r = 0; r < rows; r++) {
        if (r + 1 < rows) cp_async16(ring + (r + 1) % 2 * 128 + threadIdx.x * 4, in + (r + 1) * 128 + threadIdx.x * 4, true);
        cp_async_commit();
        cp_async_wait<KEEP>();
        __syncthreads();
        for (int i = 0; i < 4; i++) out[r * 128 + threadIdx.x * 4 + i] = ring[r % 2 * 128 + (threadIdx.x * 4 + i) % 128];
        __syncthreads();
    }
    cp_async_wait<0>();
}

static __global__ void big_shared(float *out) {
    DYNAMIC_SHARED(float, s);
    s[threadIdx.x * 512] = 1;
    __syncthreads();
    out[threadIdx.x] = s[threadIdx.x * 512];
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static void check_blocks() {
    float *x = device_floats(8 * 256);
    emu::launch(sum_twice<256, true>, 8, 256, 0, nullptr, x);
    bool ok = true;
    for (float v : fetch(x, 8 * 256)) ok &= v == 2 * 32640 + 256;
    check(ok, "barriers, warp sums and shared memory");

    emu::launch(fill, 4, 64, 0, nullptr, x, (size_t)1000, 3.0f);
    ok = true;
    std::vector<float> v = fetch(x, 1000);
    for (int i = 0; i < 1000; i++) ok &= v[(size_t)i] == 3.0f + (float)i;
    check(ok, "a grid-stride loop");

    unsigned *arrived = static_cast<unsigned *>(device_memory(4));
    cudaMemset(arrived, 0, 4);
    emu::launch(last_block, 20, 64, 0, nullptr, x, arrived, x + 100);
    check(fetch(x + 100, 1)[0] == 190, "the last block adds up what the others left");
    cudaFree(arrived);
    cudaFree(x);
}

static void check_warps() {
    unsigned *out = static_cast<unsigned *>(device_memory(64 * 10 * 4));
    emu::launch(warp_words, 1, 64, 0, nullptr, out);
    std::vector<unsigned> v = fetch(out, 64 * 10);
    bool ok = true;
    for (unsigned t = 0; t < 64; t++) {
        unsigned lane = t % 32, warp = t - lane, *o = &v[t * 10], thirds = 0;
        for (unsigned i = 0; i < 32; i += 3) thirds |= 1u << i;
        ok &= o[0] == warp + (lane ^ 5) && o[1] == warp + (lane + 3 < 32 ? lane + 3 : lane) && o[2] == warp + (lane >= 3 ? lane - 3 : lane);
        ok &= o[3] == warp + 7 && o[4] == (t ^ 4) && o[5] == (t & ~7u) + 1 && o[6] == thirds && o[7] == 2;
        ok &= o[8] == (lane < 8 ? t ^ 1 : 0xaaaaaa00u) && o[9] == 40 * 4 + 2 + 1;
    }
    check(ok, "shuffles, votes and partial masks");
    cudaFree(out);
}

static void check_copies_in_kernels() {
    float *in = device_floats(5 * 128), *out = device_floats(5 * 128);
    emu::launch(fill, 1, 64, 0, nullptr, in, (size_t)640, 0.0f);
    emu::launch(copy_pipeline<1>, 1, 32, 1024, nullptr, (const float *)in, out, 5);
    bool ok = true;
    std::vector<float> v = fetch(out, 640);
    for (int i = 0; i < 640; i++) ok &= v[(size_t)i] == (float)i;
    check(ok, "cp.async, two rows under way");
    cudaFree(in);
    cudaFree(out);
}

/* Clusters of 4, two along y. */
template <bool BARRIERS> static bool passed_on(float *x) {
    emu::launch(fill, 1, 32, 0, nullptr, x, (size_t)1536, 0.0f);
    emu::launch_as(true, 4, pass_on<4, BARRIERS>, dim3(3, 8), 64, 256, nullptr, x);
    std::vector<float> v = fetch(x, 1536);
    for (size_t i = 0; i < v.size(); i++) {
        size_t y = i / 192, from = (y / 4 * 4 + (y + 2) % 4) * 192 + i % 192;
        if (v[i] != 4 * (float)from) return fprintf(stderr, "wrong: [%zu] is %g\n", i, (double)v[i]), false;
    }
    return true;
}

static void check_clusters() {
    float *x = device_floats(1536);
    check(passed_on<true>(x), "blocks of clusters meet");
    emu::launch(pass_on<1, true>, 1, 64, 256, nullptr, x);
    check(fetch(x, 1536)[0] >= 0 && cudaGetLastError() == cudaSuccess, "a block alone meets itself");
    for (int cluster : {0, 3, 9, 16}) {
        emu::launch_as(false, cluster, pass_on<4, true>, dim3(3, 16), 64, 256, nullptr, x);
        check(cudaGetLastError() == cudaErrorInvalidClusterSize, "clusters of 0, 3 of 16 blocks, or more than 8 are refused");
    }
    cudaFree(x);
}

static void check_launch_errors() {
    float *x = device_floats(64);
    const void *kernel = reinterpret_cast<const void *>(big_shared);
    emu::launch(fill, 1, 1025, 0, nullptr, x, (size_t)1, 0.0f);
    check(cudaGetLastError() == cudaErrorInvalidConfiguration && cudaGetLastError() == cudaSuccess, "1025 threads are refused, once");
    emu::launch(fill, dim3(1, 65536), 32, 0, nullptr, x, (size_t)1, 0.0f);
    check(cudaGetLastError() == cudaErrorInvalidConfiguration, "a grid of 65536 in y is refused");
    emu::launch(big_shared, 1, 32, 64 << 10, nullptr, x);
    check(cudaGetLastError() == cudaErrorInvalidValue, "64 KiB of shared memory without asking are refused");
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 << 10) == cudaErrorInvalidValue,
          "228 KiB are never given");
    cudaGetLastError();
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10) == cudaSuccess, "64 KiB asked for");
    emu::launch(big_shared, 1, 32, 64 << 10, nullptr, x);
    check(cudaGetLastError() == cudaSuccess && fetch(x, 32)[31] == 1, "64 KiB given");
    cudaFree(x);
}

static void check_memory() {
    size_t before, total, after;
    setenv("EMU_MEMORY", "1000000", 1);
    cudaMemGetInfo(&before, &total);
    void *p = nullptr, *q = nullptr;
    check(cudaMalloc(&p, 600000) == cudaSuccess && cudaMalloc(&q, 600000) == cudaErrorMemoryAllocation && !q, "memory has an end");
    cudaGetLastError();
    cudaMemGetInfo(&after, &total);
    check(before - after == 600000 && total == 1000000, "cudaMemGetInfo tells how much is left");
    std::vector<char> host(600001);
    check(cudaMemcpy(p, host.data(), 600001, cudaMemcpyHostToDevice) == cudaErrorInvalidValue,
          "a copy beyond the end of a block is refused");
    check(cudaMemcpy(host.data(), p, 10, cudaMemcpyHostToDevice) == cudaErrorInvalidValue, "a copy in the wrong direction is refused");
    cudaGetLastError();
    check((uintptr_t)p % 256 == 0 && cudaFree(p) == cudaSuccess && cudaFree(p) == cudaErrorInvalidValue, "memory is freed once");
    cudaGetLastError();
    unsetenv("EMU_MEMORY");
}

static void check_streams() {
    cudaStream_t a = new_stream(), b = new_stream();
    cudaEvent_t copied, start, end;
    cudaEventCreateWithFlags(&copied, cudaEventDisableTiming);
    cudaEventCreateWithFlags(&start, cudaEventDefault);
    cudaEventCreateWithFlags(&end, cudaEventDefault);
    float *x = device_floats(100), *y = device_floats(100), *pinned;
    cudaMallocHost(reinterpret_cast<void **>(&pinned), 400);
    for (int i = 0; i < 100; i++) pinned[i] = (float)i;
    cudaEventRecord(start, a);
    cudaMemcpyAsync(x, pinned, 400, cudaMemcpyHostToDevice, a);
    cudaEventRecord(copied, a);
    cudaStreamWaitEvent(b, copied, 0);
    cudaMemcpyAsync(y, x, 400, cudaMemcpyDeviceToDevice, b);
    cudaEventRecord(end, b);
    cudaEventSynchronize(copied);
    for (int i = 0; i < 100; i++) pinned[i] = -1; /* the copy is over */
    cudaEventSynchronize(end);
    float ms = -1;
    check(cudaEventElapsedTime(&ms, start, end) == cudaSuccess && ms >= 0, "time between two events");
    check(cudaEventElapsedTime(&ms, copied, end) == cudaErrorInvalidResourceHandle, "no time from an event without");
    cudaGetLastError();
    check(fetch(y, 100, b)[99] == 99, "a stream waits for another's event");
    cudaFreeHost(pinned);
    for (cudaEvent_t e : {copied, start, end}) cudaEventDestroy(e);
    for (cudaStream_t s : {a, b}) cudaStreamDestroy(s);
    cudaFree(x);
    cudaFree(y);
}

static void check_graphs() {
    cudaStream_t s = new_stream();
    float *x = device_floats(10);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    emu::launch(fill, 1, 32, 0, s, x, (size_t)10, 1.0f);
    cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal);
    emu::launch(fill, 1, 32, 0, s, x, (size_t)10, 5.0f);
    cudaMemsetAsync(x + 1, 0, 4, s);
    size_t nodes = 0;
    check(cudaStreamEndCapture(s, &graph) == cudaSuccess && cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess && nodes == 2,
          "two calls recorded");
    check(fetch(x, 1, s)[0] == 1, "what is recorded is not run");
    check(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess && cudaGraphDestroy(graph) == cudaSuccess, "a graph made executable");
    for (int i = 0; i < 2; i++) {
        cudaGraphLaunch(exec, s);
        std::vector<float> v = fetch(x, 3, s);
        check(v[0] == 5 && v[1] == 0 && v[2] == 7, "replayed");
        emu::launch(fill, 1, 32, 0, s, x, (size_t)10, 2.0f);
    }
    cudaGraphExecDestroy(exec);

    cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal);
    check(cudaStreamSynchronize(s) == cudaErrorStreamCaptureUnsupported, "no waiting for a stream that records");
    check(cudaStreamEndCapture(s, &graph) == cudaErrorStreamCaptureInvalidated && !graph, "it breaks the recording");
    cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal);
    void *p;
    check(cudaMalloc(&p, 4) == cudaErrorStreamCaptureUnsupported, "no allocation meanwhile");
    bool other = false;
    std::thread([&] { other = cudaMalloc(&p, 4) == cudaSuccess && cudaFree(p) == cudaSuccess; }).join();
    check(other, "but on another thread");
    float pageable = 0;
    check(cudaMemcpyAsync(x, &pageable, 4, cudaMemcpyHostToDevice, s) == cudaErrorStreamCaptureUnsupported,
          "no copy from pageable memory meanwhile");
    cudaStreamEndCapture(s, &graph);
    cudaGetLastError();
    cudaStreamDestroy(s);
    cudaFree(x);
}

/* Of two kernels of a graph, how many of the first one's blocks had ended when a block of the second began: host memory, for the device's
 * is closed. */
static std::atomic<int> first_ended, seen_by_second;
static __global__ void first_kernel(float *x) {
    after_previous();
    x[blockIdx.x * 32 + threadIdx.x] = (float)blockIdx.x;
    __syncthreads();
    if (threadIdx.x == 0) first_ended++;
}
/* The threads meet before they wait, and after. */
static __global__ void second_kernel(float *y, const float *x) {
    SHARED(float, place, [32]);
    int ended = first_ended;
    if (threadIdx.x == 0 && ended < seen_by_second) seen_by_second = ended;
    place[31 - threadIdx.x] = (float)threadIdx.x;
    __syncthreads();
    after_previous();
    __syncthreads();
    y[blockIdx.x * 32 + threadIdx.x] = x[blockIdx.x * 32 + threadIdx.x] + place[threadIdx.x];
}

static void check_early() {
    constexpr int BLOCKS = 5, N = BLOCKS * 32;
    cudaStream_t s = new_stream();
    float *x = device_floats(N), *y = device_floats(N);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal);
    emu::launch_as(true, 1, first_kernel, BLOCKS, 32, 0, s, x);
    emu::launch_as(true, 1, second_kernel, BLOCKS, 32, 0, s, y, (const float *)x);
    cudaStreamEndCapture(s, &graph);
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph);
    bool ok = true, early = true;
    for (int i = 0; i < 20; i++) {
        first_ended = 0, seen_by_second = BLOCKS;
        cudaMemsetAsync(x, 0xff, N * sizeof *x, s);
        cudaGraphLaunch(exec, s);
        std::vector<float> v = fetch(y, N, s);
        for (int k = 0; k < N; k++) ok &= v[(size_t)k] == (float)(k / 32 + 31 - k % 32);
        early &= i >= 16 || (seen_by_second == 1 && first_ended == BLOCKS);
    }
    check(ok, "a kernel that begins early, and is right");
    check(early || this_build == TSAN, "it begins before the one before it has ended");
    cudaGraphExecDestroy(exec);
    cudaStreamDestroy(s);
    cudaFree(x);
    cudaFree(y);
}

static void check_threads() {
    float *x = device_floats(4 * 1000);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++)
        threads.emplace_back([=] {
            cudaStream_t s = new_stream();
            for (int i = 0; i < 20; i++) emu::launch(fill, 3, 64, 0, s, x + t * 1000, (size_t)1000, (float)(t * 100 + i));
            cudaStreamSynchronize(s);
            cudaStreamDestroy(s);
        });
    for (std::thread &t : threads) t.join();
    bool ok = true;
    std::vector<float> v = fetch(x, 4000);
    for (size_t i = 0; i < 4000; i++) ok &= v[i] == (float)(i / 1000 * 100 + 19 + i % 1000);
    check(ok, "four OS threads with a stream each");
    cudaFree(x);
}

/* Where the stacks of a host thread's kernels were, others find plain memory. */
static void check_stacks() {
    float *x = device_floats(256);
    std::thread([x] {
        emu::launch(sum_twice<256, true>, 1, 256, 0, nullptr, x);
        cudaStreamSynchronize(nullptr);
    }).join();
    size_t bytes = 96 << 20;
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(p != MAP_FAILED && memset(p, 1, bytes) == p, "stacks leave plain memory");
    munmap(p, bytes);
    cudaFree(x);
}

static void check_halves() {
    bool ok = true;
    for (unsigned i = 0; i < 65536; i++) {
        __half h = __ushort_as_half((unsigned short)i);
        __nv_bfloat16 b = __ushort_as_bfloat16((unsigned short)i);
        float f = __half2float(h), g = __bfloat162float(b);
        ok &= std::isnan(f) ? (i & 0x7c00) == 0x7c00 && (i & 1023) : __half_as_ushort(__float2half_rn(f)) == i;
        ok &= std::isnan(g) ? (i & 0x7f80) == 0x7f80 && (i & 127) : __bfloat16_as_ushort(__float2bfloat16_rn(g)) == i;
    }
    check(ok, "every 16-bit value, to f32 and back");
    check((float)__half(1 + 0x1p-11f) == 1 && (float)__half(1 + 0x3p-11f) == 1 + 0x1p-9f && (float)__half(65519.0f) == 65504 &&
              std::isinf((float)__half(65520.0f)) && (float)__half(0x1p-25f) == 0 && (float)__half(0x3p-25f) == 0x1p-23f,
          "f16: ties to even, overflow, subnormals");
    check((float)__nv_bfloat16(1 + 0x1p-8f) == 1 && (float)__nv_bfloat16(1 + 0x3p-8f) == 1 + 0x1p-6f &&
              std::isinf((float)__nv_bfloat16(3.4e38f)) && std::isnan((float)__nv_bfloat16(NAN)),
          "bf16: ties to even, overflow, NaN");
}

/* D [M,N] = A^T [M,K] B [K,N] + beta C + bias, as row-major linear layers ask for it. */
static void check_cublaslt() {
    const int M = 5, N = 7, K = 9;
    std::vector<float> A, B, C(M * N), bias, want(M * N);
    for (int i = 0; i < M * K; i++) A.push_back((float)(i % 7) - 3);
    for (int i = 0; i < N * K; i++) B.push_back((float)(i % 5) - 2);
    for (int i = 0; i < M; i++) bias.push_back((float)i);
    for (int i = 0; i < M * N; i++) C[(size_t)i] = (float)(i % 3);
    for (int n = 0; n < N; n++)
        for (int m = 0; m < M; m++) {
            float s = 0.5f * C[(size_t)(n * M + m)] + bias[(size_t)m];
            for (int k = 0; k < K; k++) s += 2 * A[(size_t)(m * K + k)] * B[(size_t)(n * K + k)];
            want[(size_t)(n * M + m)] = s;
        }
    float *a = device_floats(M * K), *b = device_floats(N * K), *c = device_floats(M * N), *d = device_floats(M);
    cudaMemcpy(a, A.data(), A.size() * 4, cudaMemcpyHostToDevice);
    cudaMemcpy(b, B.data(), B.size() * 4, cudaMemcpyHostToDevice);
    cudaMemcpy(c, C.data(), C.size() * 4, cudaMemcpyHostToDevice);
    cudaMemcpy(d, bias.data(), bias.size() * 4, cudaMemcpyHostToDevice);
    cublasLtHandle_t lt;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t la, lb, lc;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t result;
    cublasLtCreate(&lt);
    cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatrixLayoutCreate(&la, CUDA_R_32F, K, M, K);
    cublasLtMatrixLayoutCreate(&lb, CUDA_R_32F, K, N, K);
    cublasLtMatrixLayoutCreate(&lc, CUDA_R_32F, M, N, M);
    cublasLtMatmulPreferenceCreate(&preference);
    int32_t transpose = CUBLAS_OP_T, returned = 0, half_type = CUDA_R_16F;
    uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &d, sizeof d);
    check(cublasLtMatmulAlgoGetHeuristic(lt, desc, la, lb, lc, lc, preference, 1, &result, &returned) == CUBLAS_STATUS_SUCCESS &&
              returned == 1,
          "cuBLASLt has an algorithm");
    float alpha = 2, beta = 0.5f;
    cublasLtMatmul(lt, desc, &alpha, a, la, b, lb, &beta, c, lc, c, lc, &result.algo, nullptr, 0, nullptr);
    check(fetch(c, M * N) == want, "cuBLASLt: a transposed product, bias, and what was there before");
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &half_type, sizeof half_type);
    check(cublasLtMatmulAlgoGetHeuristic(lt, desc, la, lb, lc, lc, preference, 1, &result, &returned) == CUBLAS_STATUS_NOT_SUPPORTED,
          "cuBLASLt: no bias of another type than the result");
    cublasLtMatmulPreferenceDestroy(preference);
    for (cublasLtMatrixLayout_t l : {la, lb, lc}) cublasLtMatrixLayoutDestroy(l);
    cublasLtMatmulDescDestroy(desc);
    cublasLtDestroy(lt);
    for (float *p : {a, b, c, d}) cudaFree(p);
    check(emu_cublaslt_symbol("cublasLtMatmul") && !emu_cublaslt_symbol("cublasLtNothing"), "cuBLASLt's functions by name");
}

static void check_forked_child() {
    fflush(nullptr);
    pid_t child = fork();
    if (!child) {
        float *x = device_floats(64 * 256);
        emu::launch(sum_twice<256, true>, 64, 256, 0, nullptr, x);
        _exit(fetch(x, 1)[0] == 2 * 32640 + 256 ? 0 : 1);
    }
    int status;
    check(waitpid(child, &status, 0) == child && status == 0, "a forked child runs kernels");
}

static void run_checks() {
    check_blocks();
    check_warps();
    check_copies_in_kernels();
    check_clusters();
    check_launch_errors();
    check_memory();
    check_streams();
    check_graphs();
    check_early();
    check_threads();
    check_stacks();
    check_halves();
    check_cublaslt();
    if (this_build != TSAN) check_forked_child(); /* ThreadSanitizer's logical threads do not survive a fork */
}

/* ---- planted faults ---------------------------------------------------------------------------------------------- */

static __global__ void no_barrier(float *x) {
    SHARED(float, s, [64]);
    s[threadIdx.x] = (float)threadIdx.x;
    x[threadIdx.x] = s[63 - threadIdx.x];
}
static __global__ void no_syncwarp(float *x) {
    SHARED(float, s, [32]);
    s[threadIdx.x] = (float)threadIdx.x;
    __syncwarp();
    float v = s[(threadIdx.x + 1) % 32];
    s[threadIdx.x] = -v;
    __syncwarp();
    x[threadIdx.x] = s[threadIdx.x];
}
static __global__ void blocks_race(float *x) {
    x[threadIdx.x] = (float)blockIdx.x;
}
static __global__ void beyond_shared(float *x) {
    SHARED(float, array, [32]);
    float *s = array; /* whose bounds the compiler does not know */
    s[threadIdx.x + 1] = 1;
    __syncthreads();
    x[threadIdx.x] = s[threadIdx.x];
}
static __global__ void beyond_dynamic(float *x) {
    DYNAMIC_SHARED(float, s);
    s[threadIdx.x + 1] = 1;
    __syncthreads();
    x[threadIdx.x] = s[threadIdx.x];
}
static __global__ void beyond_device(float *x, int by) {
    x[(int)threadIdx.x + by] = 1;
}
static __global__ void copies_left(const float *in, float *out) {
    SHARED(vec16<float>, s, [32]);
    cp_async16(&s[threadIdx.x], in + threadIdx.x * 4, true);
    out[threadIdx.x] = 0;
}
static __global__ void copy_misaligned(const float *in) {
    SHARED(vec16<float>, s, [33]);
    cp_async16(&s[threadIdx.x], in + threadIdx.x * 4 + 1, true);
    cp_async_commit();
    cp_async_wait<0>();
}
/* The next stage is loaded before all have read this one. */
static __global__ void copy_too_early(const float *in, float *out) {
    SHARED(vec16<float>, s, [64]);
    cp_async16(&s[threadIdx.x], in + threadIdx.x * 4, true);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    out[threadIdx.x] = s[63 - threadIdx.x].v[0];
    cp_async16(&s[threadIdx.x], in + 256 + threadIdx.x * 4, true);
    cp_async_commit();
    __syncthreads();
    cp_async_wait<0>();
}
static __global__ void matrix_misaligned(uint32_t *out) {
    SHARED(vec16<f16>, s, [9]);
    uint32_t r[2];
    ldmatrix<2, false>(r, reinterpret_cast<char *>(&s[threadIdx.x % 8]) + 8);
    out[threadIdx.x] = r[0];
}
static __global__ void divergent_barriers(float *x) {
    if (threadIdx.x < 32) {
        __syncthreads();
        x[0] = 0;
    } else {
        x[1] = 0;
        __syncthreads();
    }
}
static __global__ void returns_early(float *x) {
    if (threadIdx.x >= 40) return;
    __syncthreads();
    x[threadIdx.x] = 0;
}
static __global__ void absent_lanes(float *x) {
    float v = 0;
    if (threadIdx.x % 32 < 16) v = __shfl_xor_sync(~0u, 1.0f, 1);
    x[threadIdx.x] = v;
}
static __global__ void overlapping_masks(float *x) {
    x[threadIdx.x] = __shfl_xor_sync(threadIdx.x % 2 ? ~0u : 0x55555555u, 1.0f, 2);
}
static __global__ void unlike_operations(float *x) {
    x[threadIdx.x] = threadIdx.x % 2 ? __shfl_xor_sync(~0u, 1.0f, 2) : (float)__ballot_sync(~0u, 1);
}

static __global__ void reads_early(float *y, const float *x) {
    float v = x[threadIdx.x];
    after_previous();
    y[threadIdx.x] = v;
}
static __global__ void copies_before_wait(float *y, const float *x) {
    SHARED(vec16<float>, s, [32]);
    cp_async16(&s[threadIdx.x], x + threadIdx.x * 4, true);
    cp_async_commit();
    after_previous();
    cp_async_wait<0>();
    y[threadIdx.x] = s[threadIdx.x].v[0];
}
/* Of its blocks the last alone. */
static __global__ void writes_early(float *y) {
    if (blockIdx.x == gridDim.x - 1) y[threadIdx.x] = 1;
    after_previous();
}
static __global__ void never_waits(float *y) {
    if (threadIdx.x != 5) after_previous();
    if (threadIdx.x == 5) y[threadIdx.x % 5] = 1;
}

static __global__ void leaves_cluster(float *x) {
    if (threadIdx.x != 5) cluster_barrier();
    x[threadIdx.x] = 0;
}
static __global__ void block_leaves(float *x) {
    if (blockIdx.y) cluster_barrier();
    x[threadIdx.x] = 0;
}
static __global__ void shares_in_cluster(float *x) {
    SHARED(float, s, [32]);
    s[threadIdx.x] = 0;
    cluster_barrier();
    x[threadIdx.x] = s[threadIdx.x];
}

/* Launches and says whether every one of n results is right. */
template <class Right> static int judge(const float *x, size_t n, Right right) {
    std::vector<float> v = fetch(x, n);
    for (size_t i = 0; i < n; i++)
        if (!(v[i] == right(i))) {
            fprintf(stderr, "wrong: [%zu] is %g\n", i, (double)v[i]);
            return 1;
        }
    return 0;
}
static int zero(float *x) {
    return judge(x, 1, [](size_t) { return 0.0f; });
}

static int fault_no_barrier(float *x) {
    emu::launch(no_barrier, 1, 64, 0, nullptr, x);
    return judge(x, 64, [](size_t i) { return (float)(63 - i); });
}
static int fault_second_barrier(float *x) {
    emu::launch(sum_twice<256, false>, 1, 256, 0, nullptr, x);
    return judge(x, 256, [](size_t) { return 2 * 32640 + 256.0f; });
}
static int fault_no_syncwarp(float *x) {
    emu::launch(no_syncwarp, 1, 32, 0, nullptr, x);
    return judge(x, 32, [](size_t i) { return -(float)((i + 1) % 32); });
}
static int fault_blocks_race(float *x) {
    emu::launch(blocks_race, 4, 32, 0, nullptr, x);
    fetch(x, 1);
    return 0;
}
static int fault_beyond_shared(float *x) {
    return emu::launch(beyond_shared, 1, 32, 0, nullptr, x), 0;
}
static int fault_beyond_dynamic(float *x) {
    return emu::launch(beyond_dynamic, 1, 32, 128, nullptr, x), 0;
}
static int fault_beyond_device(float *) {
    float *y = device_floats(32);
    emu::launch(beyond_device, 1, 32, 0, nullptr, y, 1);
    return cudaFree(y), 0;
}
static int fault_far_beyond_device(float *) {
    float *y = device_floats(32);
    emu::launch(beyond_device, 1, 32, 0, nullptr, y, 1024);
    return cudaFree(y), 0;
}
static int fault_wait_too_few(float *x) {
    cudaMemset(x, 0, 640 * 4);
    emu::launch(copy_pipeline<2>, 1, 32, 1024, nullptr, (const float *)x, x + 1024, 5);
    return judge(x + 1024, 640, [](size_t) { return 0.0f; });
}
static int fault_copies_left(float *x) {
    return emu::launch(copies_left, 1, 32, 0, nullptr, (const float *)x, x + 128), zero(x + 128);
}
static int fault_copy_misaligned(float *x) {
    return emu::launch(copy_misaligned, 1, 32, 0, nullptr, (const float *)x), 0;
}
static int fault_copy_too_early(float *x) {
    cudaMemset(x, 0, 1024);
    cudaMemset(x + 256, 0xff, 1024);
    emu::launch(copy_too_early, 1, 64, 0, nullptr, (const float *)x, x + 1024);
    return judge(x + 1024, 64, [](size_t) { return 0.0f; });
}
static int fault_matrix_misaligned(float *x) {
    return emu::launch(matrix_misaligned, 1, 32, 0, nullptr, (uint32_t *)x), 0;
}
static int fault_divergent_barriers(float *x) {
    return emu::launch(divergent_barriers, 1, 64, 0, nullptr, x), zero(x);
}
static int fault_returns_early(float *x) {
    return emu::launch(returns_early, 1, 64, 0, nullptr, x), zero(x);
}
static int fault_absent_lanes(float *x) {
    return emu::launch(absent_lanes, 1, 32, 0, nullptr, x), zero(x);
}
static int fault_overlapping_masks(float *x) {
    return emu::launch(overlapping_masks, 1, 32, 0, nullptr, x), 0;
}
static int fault_unlike_operations(float *x) {
    return emu::launch(unlike_operations, 1, 32, 0, nullptr, x), 0;
}

/* The result is read before the stream is waited for. */
static int fault_no_sync(float *x) {
    float *pinned;
    cudaMallocHost(reinterpret_cast<void **>(&pinned), 4);
    *pinned = -1;
    cudaMemsetAsync(x, 0, 4, nullptr);
    cudaMemcpyAsync(pinned, x, 4, cudaMemcpyDeviceToHost, nullptr);
    float v = *pinned;
    cudaStreamSynchronize(nullptr);
    cudaFreeHost(pinned);
    if (v == 0) return 0;
    fprintf(stderr, "wrong: %g\n", (double)v);
    return 1;
}
/* A pinned buffer is filled again while the copy from it may be under way. */
static int fault_buffer_reused(float *x) {
    float *pinned;
    cudaMallocHost(reinterpret_cast<void **>(&pinned), 4);
    *pinned = 0;
    cudaMemcpyAsync(x, pinned, 4, cudaMemcpyHostToDevice, nullptr);
    *pinned = 1;
    int wrong = zero(x);
    cudaFreeHost(pinned);
    return wrong;
}
/* So is pageable memory. */
static int fault_pageable_reused(float *x) {
    float value = 0;
    cudaMemcpyAsync(x, &value, 4, cudaMemcpyHostToDevice, nullptr);
    *const_cast<volatile float *>(&value) = 1;
    return zero(x);
}
/* A kernel uses what another stream copies, without waiting for it. */
static int fault_no_wait(float *x) {
    cudaStream_t a = new_stream(), b = new_stream();
    cudaMemsetAsync(x, 0, 128, a);
    emu::launch(blocks_race, 1, 32, 0, b, x + 32);
    cudaMemcpyAsync(x + 32, x, 128, cudaMemcpyDeviceToDevice, b);
    cudaStreamSynchronize(b);
    int wrong = zero(x + 32);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
    return wrong;
}
static int fault_reads_early(float *x) {
    emu::launch_as(true, 1, reads_early, 3, 32, 0, nullptr, x + 32, (const float *)x);
    return zero(x);
}
static int fault_copies_early(float *x) {
    emu::launch_as(true, 1, copies_before_wait, 1, 32, 0, nullptr, x, (const float *)x + 32);
    return zero(x);
}
static int fault_writes_early(float *x) {
    for (int i = 0; i < 40; i++) emu::launch_as(true, 1, writes_early, 4, 32, 0, nullptr, x);
    return zero(x);
}
static int fault_never_waits(float *x) {
    emu::launch_as(true, 1, never_waits, 1, 32, 0, nullptr, x);
    return zero(x);
}
static int fault_never_meets(float *x) {
    return !passed_on<false>(x);
}
template <void (*KERNEL)(float *)> static int fault_of_cluster(float *x) {
    emu::launch_as(false, 2, KERNEL, dim3(1, 2), 32, 0, nullptr, x);
    return zero(x);
}
static int fault_host_touches(float *x) {
    return static_cast<volatile float *>(x)[0] == 7;
}
static int fault_leak(float *) {
    cudaEvent_t e;
    cudaEventCreateWithFlags(&e, 0);
    return device_floats(10) == nullptr;
}
static int fault_none(float *x) {
    emu::launch(sum_twice<256, true>, 1, 256, 0, nullptr, x);
    return judge(x, 256, [](size_t) { return 2 * 32640 + 256.0f; });
}
static int fault_counted_only(float *x) {
    emu::launch(sum_twice<256, true>, 1, 256, 0, nullptr, x);
    emu::launch(sum_twice<256, true>, 1, 256, 0, nullptr, x);
    return 0;
}

static const struct fault {
    const char *name;
    int (*run)(float *x);
    const char *environment; /* one variable, or NULL */
    int where;               /* builds that catch it; NONE: it must end well and say so */
    const char *says;
} faults[] = {
    {"none", fault_none, nullptr, NONE, ""},
    {"counted_only", fault_counted_only, "EMU_SKIP=1 EMU_REPORT=1", NONE, "2  sum_twice<256, true>"},
    {"no_barrier", fault_no_barrier, nullptr, ANY, this_build == TSAN ? "data race" : "wrong: "},
    {"second_barrier", fault_second_barrier, "EMU_SEED=1", RELEASE | ASAN, "wrong: "},
    {"second_barrier", fault_second_barrier, "EMU_SEED=3", RELEASE | ASAN, "wrong: "},
    {"second_barrier", fault_second_barrier, "EMU_SEED=5", RELEASE | ASAN, "wrong: "},
    {"second_barrier", fault_second_barrier, nullptr, TSAN, "data race"},
    {"no_syncwarp", fault_no_syncwarp, nullptr, TSAN, "data race"},
    {"blocks_race", fault_blocks_race, nullptr, TSAN, "data race"},
    {"beyond_shared", fault_beyond_shared, nullptr, ASAN, "heap-buffer-overflow"},
    {"beyond_dynamic", fault_beyond_dynamic, nullptr, ASAN, "heap-buffer-overflow"},
    {"beyond_device", fault_beyond_device, nullptr, ASAN, "use-after-poison"},
    {"far_beyond_device", fault_far_beyond_device, nullptr, ANY, ""},
    {"wait_too_few", fault_wait_too_few, nullptr, ANY, "wrong: "},
    {"copies_left", fault_copies_left, nullptr, ANY, "cp.async copies not waited for in copies_left"},
    {"copy_misaligned", fault_copy_misaligned, nullptr, ANY, "not aligned in copy_misaligned"},
    {"copy_too_early", fault_copy_too_early, "EMU_ASYNC=early", ANY, this_build == TSAN ? "data race" : "wrong: "},
    {"matrix_misaligned", fault_matrix_misaligned, nullptr, ANY, "not aligned in matrix_misaligned"},
    {"divergent_barriers", fault_divergent_barriers, nullptr, ANY, "different __syncthreads in divergent_barriers, block (0,0,0)"},
    {"returns_early", fault_returns_early, nullptr, ANY, "returned while others wait in __syncthreads"},
    {"absent_lanes", fault_absent_lanes, nullptr, ANY, "a lane named in a warp mask has returned"},
    {"overlapping_masks", fault_overlapping_masks, nullptr, ANY, "different masks"},
    {"unlike_operations", fault_unlike_operations, nullptr, ANY, "different warp operations"},
    {"no_sync", fault_no_sync, "EMU_LAZY=1", RELEASE | ASAN, "wrong: -1"},
    {"no_sync", fault_no_sync, nullptr, TSAN, "data race"},
    {"buffer_reused", fault_buffer_reused, "EMU_LAZY=1", RELEASE | ASAN, "wrong: "},
    {"buffer_reused", fault_buffer_reused, nullptr, TSAN, "data race"},
    {"pageable_reused", fault_pageable_reused, "EMU_LAZY=1", RELEASE | ASAN, "wrong: "},
    {"pageable_reused", fault_pageable_reused, nullptr, TSAN, "data race"},
    {"no_wait", fault_no_wait, "EMU_LAZY=1", RELEASE | ASAN, "wrong: "},
    {"no_wait", fault_no_wait, nullptr, TSAN, "data race"},
    {"reads_early", fault_reads_early, nullptr, RELEASE, "touched before after_previous() in reads_early"},
    {"reads_early", fault_reads_early, nullptr, ASAN, "SEGV"},
    {"copies_early", fault_copies_early, nullptr, ANY, "cp.async before after_previous() in copies_before_wait"},
    {"writes_early", fault_writes_early, nullptr, RELEASE, "touched before after_previous() in writes_early, block (3,0,0)"},
    {"never_waits", fault_never_waits, nullptr, ANY, ""},
    {"never_meets", fault_never_meets, nullptr, ANY, this_build == TSAN ? "data race" : "wrong: "},
    {"leaves_cluster", fault_of_cluster<leaves_cluster>, nullptr, ANY, "returned while others wait in cluster_barrier"},
    {"block_leaves", fault_of_cluster<block_leaves>, nullptr, ANY, "a block of a cluster has ended while others wait for it"},
    {"shares_in_cluster", fault_of_cluster<shares_in_cluster>, nullptr, ANY, "DYNAMIC_SHARED alone in shares_in_cluster"},
    {"host_touches", fault_host_touches, "EMU_PROTECT=1", ANY, ""},
    {"leak", fault_leak, "EMU_LEAKS=1", ANY, "1 events not freed"},
};

static int run_fault(const char *name) {
    for (const fault &f : faults) {
        if (strcmp(f.name, name)) continue;
        float *x = device_floats(2048);
        int code = f.run(x);
        cudaFree(x);
        return code;
    }
    return 2;
}

/* This program again, with arguments and an environment; what it prints, and its status. */
static std::string run_self(const std::string &arguments, const char *environment, int *status) {
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) exit(2);
    self[n] = 0;
    std::string command = std::string("ulimit -c 0; ") + (environment ? environment : "") + " '" + self + "' " + arguments + " 2>&1", out;
    fflush(nullptr);
    FILE *p = popen(command.c_str(), "r");
    char line[4096];
    while (p && fgets(line, sizeof line, p)) out += line;
    *status = p ? pclose(p) : -1;
    return out;
}

static void run_faults() {
    for (const fault &f : faults) {
        if (!(f.where & (this_build | NONE))) continue;
        int status;
        std::string out = run_self(std::string("fault ") + f.name, f.environment, &status), what = f.name;
        if (f.environment) what += std::string(" with ") + f.environment;
        bool ok = (f.where == NONE) == (status == 0) && out.find(f.says) != std::string::npos;
        check(ok, (what + (f.where == NONE ? " ends well" : " is caught")).c_str());
        if (!ok) printf("status %d, output:\n%s\n", status, out.c_str());
    }
}

static void run_modes() {
    for (const char *mode :
         {"EMU_LAZY=1", "EMU_ORDER=reverse", "EMU_SEED=1", "EMU_SEED=2", "EMU_SEED=3", "EMU_SEED=4 EMU_LAZY=1",
          "EMU_ASYNC=early EMU_SEED=1", "EMU_ASYNC=random", "EMU_PROTECT=1", "EMU_LEAKS=1", "EMU_CUBLASLT=1 OMP_NUM_THREADS=1"}) {
        int status;
        std::string out = run_self("checks", mode, &status);
        check(status == 0, (std::string("every check with ") + mode).c_str());
        if (status) printf("%s\n", out.c_str());
    }
    int status;
    setenv("EMU_DEVICES", "0", 1);
    int n = 1;
    check(cudaGetDeviceCount(&n) == cudaErrorNoDevice && n == 0, "EMU_DEVICES=0: no device");
    unsetenv("EMU_DEVICES");
    cudaGetLastError();
    setenv("EMU_CUBLASLT", "0", 1);
    check(!emu_cublaslt_symbol("cublasLtMatmul"), "EMU_CUBLASLT=0: no cuBLASLt");
    unsetenv("EMU_CUBLASLT");
    (void)status;
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "fault")) return run_fault(argv[2]);
    run_checks();
    if (argc == 1) {
        run_modes();
        run_faults();
    }
    printf("%s\n", failures ? "FAILED" : "all ok");
    return failures != 0;
}
