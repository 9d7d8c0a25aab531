/* What a GPU machine can do at most, to stand beside our figures. Built by bench/gpu-visit.sh; one
 * "NAME<tab>VALUE<tab>UNIT" line each.
 *
 *     ceilings                 products of 8192^3 by cuBLASLt, copies, launches, nodes of a graph
 *     ceilings context         makes a CUDA context and ends
 *     ceilings library         opens cuBLASLt and ends, printing how long that took
 *     ceilings exec N CMD…     runs CMD N times: milliseconds from fork to exit, median, least and most
 *
 * Operands are random: on zeros a product runs faster than it will on data. Times are CUDA events', medians of many
 * after warm-up. */
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vector>

extern char **environ;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "ceilings: %s: %s\n", what, why);
    exit(1);
}
#define CHECK(call)                                  \
    do {                                             \
        cudaError_t e_ = (call);                     \
        if (e_) fail(#call, cudaGetErrorString(e_)); \
    } while (0)

static double now_ms() {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

static void print(const char *name, double value, const char *unit) {
    printf("%s\t%.4g\t%s\n", name, value, unit);
    fflush(stdout);
}

/* Milliseconds of work() on the device: the median of `runs` after one. */
template <class F> static double device_ms(int runs, F work) {
    cudaEvent_t begin, end;
    CHECK(cudaEventCreate(&begin));
    CHECK(cudaEventCreate(&end));
    std::vector<double> times;
    for (int i = 0; i <= runs; i++) {
        float ms;
        CHECK(cudaEventRecord(begin));
        work();
        CHECK(cudaEventRecord(end));
        CHECK(cudaEventSynchronize(end));
        CHECK(cudaEventElapsedTime(&ms, begin, end));
        if (i) times.push_back(ms);
    }
    CHECK(cudaEventDestroy(begin));
    CHECK(cudaEventDestroy(end));
    return median(times);
}

/* ---- products
 * -------------------------------------------------------------------------------------------------------- */

static void *open_library() {
    for (const char *name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"})
        if (void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
    return nullptr;
}

/* The library's function of that name. */
#define LT(function) reinterpret_cast<decltype(&function)>(dlsym(library, #function))

template <class T> __global__ void fill_random(T *x, size_t n, uint32_t seed) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        uint32_t h = (uint32_t)i * 2654435761u + seed;
        h = (h ^ h >> 16) * 0x85EBCA6Bu;
        h = (h ^ h >> 13) * 0xC2B2AE35u;
        x[i] = T((float)(h >> 8) / (float)(1 << 23) - 1.0f);
    }
}

template <class T> static void time_product(void *library, const char *name, cudaDataType type) {
    const int n = 8192;
    const size_t workspace_bytes = 64 << 20;
    const float one = 1, zero = 0;
    T *a, *b, *c;
    void *workspace;
    CHECK(cudaMalloc(&a, sizeof(T) * n * n));
    CHECK(cudaMalloc(&b, sizeof(T) * n * n));
    CHECK(cudaMalloc(&c, sizeof(T) * n * n));
    CHECK(cudaMalloc(&workspace, workspace_bytes));
    fill_random<T><<<1024, 256>>>(a, (size_t)n * n, 1);
    fill_random<T><<<1024, 256>>>(b, (size_t)n * n, 2);
    CHECK(cudaGetLastError());

    cublasLtHandle_t lt;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t layout;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t chosen;
    cublasOperation_t transpose = CUBLAS_OP_T; /* as our weights lie */
    int found = 0;
    bool bad = LT(cublasLtCreate)(&lt) || LT(cublasLtMatmulDescCreate)(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F) ||
               LT(cublasLtMatmulDescSetAttribute)(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose) ||
               LT(cublasLtMatrixLayoutCreate)(&layout, type, n, n, n) || LT(cublasLtMatmulPreferenceCreate)(&preference) ||
               LT(cublasLtMatmulPreferenceSetAttribute)(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                                                        sizeof workspace_bytes) ||
               LT(cublasLtMatmulAlgoGetHeuristic)(lt, desc, layout, layout, layout, layout, preference, 1, &chosen, &found) || !found;
    if (bad) fail(name, "cuBLASLt refused it");
    double ms = device_ms(30, [&] {
        if (LT(cublasLtMatmul)(lt, desc, &one, a, layout, b, layout, &zero, c, layout, c, layout, &chosen.algo, workspace, workspace_bytes,
                               cudaStream_t{}))
            fail(name, "cuBLASLt failed");
    });
    print(name, 2.0 * n * n * n / ms / 1e9, "TFLOP/s");
    for (void *p : {(void *)a, (void *)b, (void *)c, workspace}) CHECK(cudaFree(p));
}

/* ---- copies
 * ---------------------------------------------------------------------------------------------------------- */

static void time_copies() {
    const size_t large = (size_t)4 << 30, bytes = (size_t)1 << 30;
    char *from, *to, *pinned, *pageable = static_cast<char *>(malloc(bytes));
    CHECK(cudaMalloc(&from, large));
    CHECK(cudaMalloc(&to, large));
    CHECK(cudaMallocHost(&pinned, bytes));
    fill_random<float><<<1024, 256>>>(reinterpret_cast<float *>(from), large / 4, 3);
    memset(pinned, 1, bytes);
    memset(pageable, 2, bytes);
    print("copy_device", 2.0 * large / device_ms(10, [&] { CHECK(cudaMemcpyAsync(to, from, large, cudaMemcpyDeviceToDevice)); }) / 1e6,
          "GB/s");
    print("copy_pinned", bytes / device_ms(10, [&] { CHECK(cudaMemcpyAsync(to, pinned, bytes, cudaMemcpyHostToDevice)); }) / 1e6, "GB/s");
    print("copy_pageable", bytes / device_ms(3, [&] { CHECK(cudaMemcpyAsync(to, pageable, bytes, cudaMemcpyHostToDevice)); }) / 1e6,
          "GB/s");
    CHECK(cudaFree(from));
    CHECK(cudaFree(to));
    CHECK(cudaFreeHost(pinned));
    free(pageable);
}

/* ---- launches
 * -------------------------------------------------------------------------------------------------------- */

__global__ void nothing() {}

static void time_launches() {
    const int n = 1000;
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    auto work = [&] {
        for (int i = 0; i < n; i++) nothing<<<132, 128, 0, stream>>>();
    };
    auto host_us = [&](auto &&f) { /* until the device has finished; the median of 20 after one */
                                   std::vector<double> times;
                                   for (int i = 0; i <= 20; i++) {
                                       double start = now_ms();
                                       f();
                                       CHECK(cudaStreamSynchronize(stream));
                                       if (i) times.push_back((now_ms() - start) * 1e3);
                                   }
                                   return median(times);
    };
    print("launch", host_us(work) / n, "us");
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    work();
    CHECK(cudaStreamEndCapture(stream, &graph));
    double start = now_ms();
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    print("graph_instantiate", (now_ms() - start) * 1e3 / n, "us/node");
    print("graph_node", host_us([&] { CHECK(cudaGraphLaunch(exec, stream)); }) / n, "us");
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
}

/* ---- programs
 * -------------------------------------------------------------------------------------------------------- */

static double run_once(char **command) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    int status;
    pid_t pid;
    double start = now_ms();
    if (posix_spawnp(&pid, command[0], &actions, nullptr, command, environ)) fail(command[0], "cannot be run");
    waitpid(pid, &status, 0);
    double ms = now_ms() - start;
    posix_spawn_file_actions_destroy(&actions);
    if (status) fail(command[0], "failed");
    return ms;
}

static void time_program(int n, char **command) {
    std::vector<double> times;
    for (int i = 0; i < n; i++) times.push_back(run_once(command));
    printf("%.1f\t%.1f\t%.1f\n", median(times), *std::min_element(times.begin(), times.end()),
           *std::max_element(times.begin(), times.end()));
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    if (!strcmp(mode, "exec") && argc > 3 && atoi(argv[2]) > 0) {
        time_program(atoi(argv[2]), argv + 3);
        return 0;
    }
    if (!strcmp(mode, "context")) {
        CHECK(cudaFree(nullptr));
        return 0;
    }
    double start = now_ms();
    void *library = open_library();
    if (!strcmp(mode, "library")) {
        if (!library) fail("cuBLASLt", "not found");
        print("open_cublaslt", now_ms() - start, "ms");
        return 0;
    }
    if (library) {
        time_product<__half>(library, "gemm_f16", CUDA_R_16F);
        time_product<__nv_bfloat16>(library, "gemm_bf16", CUDA_R_16BF);
    } else {
        fprintf(stderr, "ceilings: cuBLASLt not found: no products\n");
    }
    time_copies();
    time_launches();
    return 0;
}
