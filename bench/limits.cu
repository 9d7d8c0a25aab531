/* What bench/model.py's constants stand on, one SM's parts each by itself: a line "NAME VALUE UNIT" each.
 *
 *     mma_clocks        between two mma.sync m16n8k16 of one tensor core, operands in registers
 *     mma_ldmatrix      the same with the shared memory's reads of a 64x64 tile of a warp, as gemm.cuh has them
 *     ex2_clocks        between two exponentials of a warp
 *     l2_bytes          a clock and SM, all SMs reading 24 MB over and over, past L1
 *     node, node_early  us of a node of a graph that depends on the one before it, 132 blocks that store 128 values: without and with
 *                       programmatic dependent launch (sm_90)
 *     cluster_bytes_S   a clock and SM, each of a cluster's S blocks reading the others' shared memory in turn (sm_90)
 *     cluster_meet_S    clocks of such a cluster's barrier, behind which all see what was written
 *     cluster_leave_S   of one that orders no memory
 *     cluster_sms_S     SMs that such clusters fill, a block an SM
 *
 * Clocks are the SM's own (clock64): they do not depend on its frequency. nvcc -std=c++20 -O3 -arch=sm_90 bench/limits.cu */
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define CHECK(call)                                                                                   \
    do {                                                                                              \
        cudaError_t error_ = (call);                                                                  \
        if (error_) fprintf(stderr, "limits: %s: %s\n", #call, cudaGetErrorString(error_)), exit(69); \
    } while (0)

constexpr int TURNS = 512, WARPS = 8, NODES = 1000, EXCHANGED = 128 << 10;

__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Each of the block's eight warps, two a tensor core: 32 sums of 16x8 at a time, 8 KiB of operands a warp. */
template <bool LOADS> __global__ void __launch_bounds__(WARPS * 32) products(long long *clocks, float *out) {
    __shared__ __align__(128) uint16_t tile[2][64 * 64];
    for (int i = threadIdx.x; i < 2 * 64 * 64; i += WARPS * 32) tile[0][i] = 0;
    __syncthreads();
    float d[4][8][4] = {};
    uint32_t a[4][4] = {}, b[8][2] = {};
    unsigned at = (unsigned)__cvta_generic_to_shared(&tile[0][threadIdx.x % 32 * 8]);
    long long start = clock64();
#pragma unroll 1
    for (int turn = 0; turn < TURNS; turn++) {
        if (LOADS) {
#pragma unroll
            for (int i = 0; i < 4; i++)
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                             : "=r"(a[i][0]), "=r"(a[i][1]), "=r"(a[i][2]), "=r"(a[i][3])
                             : "r"(at + i * 512));
#pragma unroll
            for (int j = 0; j < 8; j += 2)
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                             : "=r"(b[j][0]), "=r"(b[j][1]), "=r"(b[j + 1][0]), "=r"(b[j + 1][1])
                             : "r"(at + 8192 + j * 256));
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 8; j++) mma(d[i][j], a[i], b[j]);
    }
    long long end = clock64();
    float sum = 0;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 8; j++)
            for (int k = 0; k < 4; k++) sum += d[i][j][k];
    if (threadIdx.x == 0) clocks[blockIdx.x] = end - start;
    out[blockIdx.x * WARPS * 32 + threadIdx.x] = sum;
}

__global__ void __launch_bounds__(WARPS * 32) exponentials(long long *clocks, float *out) {
    float x[8];
    for (int i = 0; i < 8; i++) x[i] = -(float)(threadIdx.x + i) / 512;
    long long start = clock64();
#pragma unroll 1
    for (int turn = 0; turn < TURNS; turn++)
#pragma unroll
        for (int i = 0; i < 8; i++) asm volatile("ex2.approx.ftz.f32 %0, %0;\n" : "+f"(x[i]));
    long long end = clock64();
    if (threadIdx.x == 0) clocks[blockIdx.x] = end - start;
    out[blockIdx.x * WARPS * 32 + threadIdx.x] = x[0] + x[1] + x[2] + x[3] + x[4] + x[5] + x[6] + x[7];
}

/* Every block reads all of it. */
__global__ void __launch_bounds__(1024) reads(long long *clocks, float *out, const uint4 *from, int n) {
    uint32_t sum = 0;
    long long start = clock64();
#pragma unroll 8
    for (int i = threadIdx.x; i < n; i += 1024) {
        uint4 v = __ldcg(from + (i + blockIdx.x * 4096) % n);
        sum += v.x ^ v.y ^ v.z ^ v.w;
    }
    long long end = clock64();
    if (threadIdx.x == 0) clocks[blockIdx.x] = end - start;
    out[blockIdx.x * 1024 + threadIdx.x] = (float)sum;
}

__global__ void __launch_bounds__(128) node(float *x) {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
    x[blockIdx.x * 128 + threadIdx.x] += 1;
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}

/* Blocks of a cluster, one an SM, TURNS times: each reads EXCHANGED bytes of the others', or they meet. */
enum turn { READ, MEET, LEAVE };
template <enum turn TURN> __global__ void __launch_bounds__(512) exchange(long long *clocks, float *out, int blocks) {
#if __CUDA_ARCH__ >= 900
    extern __shared__ uint4 own[];
    unsigned rank, sum = 0, at = (unsigned)__cvta_generic_to_shared(own + threadIdx.x), from;
    auto meet = [] { asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;\n" ::: "memory"); };
    asm("mov.u32 %0, %%cluster_ctarank;\n" : "=r"(rank));
    for (int i = threadIdx.x; i < EXCHANGED / 16; i += 512) own[i] = {};
    meet();
    long long start = clock64();
#pragma unroll 1
    for (int turn = 0; turn < TURNS; turn++) {
        if (TURN == MEET) meet();
        if (TURN == LEAVE) asm volatile("barrier.cluster.arrive.relaxed;\nbarrier.cluster.wait;\n");
        if (TURN != READ) continue;
        asm("mapa.shared::cluster.u32 %0, %1, %2;\n" : "=r"(from) : "r"(at), "r"((rank + 1 + turn % (blocks - 1)) % blocks));
#pragma unroll
        for (int i = 0; i < EXCHANGED / (512 * 16); i++) {
            uint4 v;
            asm volatile("ld.shared::cluster.v4.u32 {%0,%1,%2,%3}, [%4];\n"
                         : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                         : "r"(from + i * 512 * 16));
            sum += v.x ^ v.y ^ v.z ^ v.w;
        }
    }
    long long end = clock64();
    meet(); /* none ends while another reads of it */
    if (threadIdx.x == 0) clocks[blockIdx.x] = end - start;
    out[blockIdx.x * 512 + threadIdx.x] = (float)sum;
#endif
}

/* The median of the blocks' clocks, of the second run. */
template <class F> static double clocks_of(long long *clocks, int blocks, F &&run) {
    std::vector<long long> host(blocks);
    for (int i = 0; i < 2; i++) run();
    CHECK(cudaGetLastError());
    CHECK(cudaMemcpy(host.data(), clocks, blocks * sizeof *clocks, cudaMemcpyDeviceToHost));
    std::sort(host.begin(), host.end());
    return (double)host[blocks / 2];
}

static void print_clusters(long long *clocks, float *out, int size) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = (unsigned)size, attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(size), config.blockDim = dim3(512), config.dynamicSmemBytes = EXCHANGED;
    config.attrs = &attribute, config.numAttrs = 1;
    for (auto kernel : {exchange<READ>, exchange<MEET>, exchange<LEAVE>})
        CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, EXCHANGED));
    int clusters;
    CHECK(cudaOccupancyMaxActiveClusters(&clusters, exchange<READ>, &config));
    if (!clusters) return; /* a part of a GPU, with fewer SMs side by side */
    int blocks = clusters * size;
    config.gridDim = dim3(blocks);
    auto turn_of = [&](auto kernel) {
        return clocks_of(clocks, blocks, [&] { CHECK(cudaLaunchKernelEx(&config, kernel, clocks, out, size)); }) / TURNS;
    };
    printf("cluster_bytes_%d %.1f B\n", size, EXCHANGED / turn_of(exchange<READ>));
    printf("cluster_meet_%d %.0f clocks\n", size, turn_of(exchange<MEET>));
    printf("cluster_leave_%d %.0f clocks\n", size, turn_of(exchange<LEAVE>));
    printf("cluster_sms_%d %d SMs\n", size, blocks);
}

static double node_us(float *x, int n_sms, bool early) {
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaEvent_t begin, end;
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaEventCreate(&begin));
    CHECK(cudaEventCreate(&end));
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < NODES; i++) {
        cudaLaunchAttribute attribute = {};
        attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attribute.val.programmaticStreamSerializationAllowed = 1;
        cudaLaunchConfig_t config = {};
        config.gridDim = dim3(n_sms), config.blockDim = dim3(128), config.stream = stream;
        config.attrs = &attribute, config.numAttrs = early && i;
        CHECK(cudaLaunchKernelEx(&config, node, x));
    }
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    float ms = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(cudaEventRecord(begin, stream));
        CHECK(cudaGraphLaunch(exec, stream));
        CHECK(cudaEventRecord(end, stream));
        CHECK(cudaEventSynchronize(end));
        CHECK(cudaEventElapsedTime(&ms, begin, end));
    }
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    return ms * 1e3 / NODES;
}

int main() {
    cudaDeviceProp prop;
    CHECK(cudaGetDeviceProperties(&prop, 0));
    int n_sms = prop.multiProcessorCount, n = 24 << 20;
    long long *clocks;
    float *out;
    uint4 *from;
    CHECK(cudaMalloc(&clocks, n_sms * sizeof *clocks));
    CHECK(cudaMalloc(&out, n_sms * 1024 * sizeof *out));
    CHECK(cudaMalloc(&from, n));
    CHECK(cudaMemset(from, 1, n));
    double mmas = TURNS * 32.0 * WARPS / 4, vectors = n / 16; /* a tensor core's mma.sync; 16 bytes each */
    printf("mma_clocks %.2f clocks\n", clocks_of(clocks, n_sms, [&] { products<false><<<n_sms, WARPS * 32>>>(clocks, out); }) / mmas);
    printf("mma_ldmatrix %.2f clocks\n", clocks_of(clocks, n_sms, [&] { products<true><<<n_sms, WARPS * 32>>>(clocks, out); }) / mmas);
    printf("ex2_clocks %.2f clocks\n",
           clocks_of(clocks, n_sms, [&] { exponentials<<<n_sms, WARPS * 32>>>(clocks, out); }) / (TURNS * 8.0 * WARPS / 4));
    printf("l2_bytes %.1f B\n", vectors * 16 / clocks_of(clocks, n_sms, [&] { reads<<<n_sms, 1024>>>(clocks, out, from, n / 16); }));
    printf("node %.2f us\n", node_us(out, n_sms, false));
    if (prop.major < 9) return 0;
    printf("node_early %.2f us\n", node_us(out, n_sms, true));
    if (prop.sharedMemPerBlockOptin >= EXCHANGED)
        for (int size : {2, 4, 8}) print_clusters(clocks, out, size);
    return 0;
}
