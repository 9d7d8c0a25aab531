/* Every call the program makes to the CUDA runtime, in one table, so that a test can make each of them fail once.
 *
 *     CUDA(Malloc, &p, bytes);      calls cuda.Malloc; dies with the documented exit code where it fails */
#ifndef CUDA_API_H
#define CUDA_API_H

#include <cuda_runtime.h>

/* Overloaded in C++; their C forms. */
typedef cudaError_t cuda_malloc(void **p, size_t bytes);
typedef cudaError_t cuda_malloc_host(void **p, size_t bytes);

struct cuda_api {
    cuda_malloc *Malloc;
    cuda_malloc_host *MallocHost;
    cudaError_t (*GetDeviceCount)(int *count);
    cudaError_t (*SetDevice)(int device);
    cudaError_t (*DeviceGetPCIBusId)(char *bus, int size, int device);
    cudaError_t (*DriverGetVersion)(int *version);
    cudaError_t (*RuntimeGetVersion)(int *version);
    cudaError_t (*GetDeviceProperties)(struct cudaDeviceProp *prop, int device);
    cudaError_t (*MemGetInfo)(size_t *free, size_t *total);
    cudaError_t (*Free)(void *p);
    cudaError_t (*FreeHost)(void *p);
    cudaError_t (*MemcpyAsync)(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream);
    cudaError_t (*MemsetAsync)(void *p, int value, size_t bytes, cudaStream_t stream);
    cudaError_t (*StreamCreateWithFlags)(cudaStream_t *stream, unsigned flags);
    cudaError_t (*StreamDestroy)(cudaStream_t stream);
    cudaError_t (*StreamSynchronize)(cudaStream_t stream);
    cudaError_t (*StreamBeginCapture)(cudaStream_t stream, enum cudaStreamCaptureMode mode);
    cudaError_t (*StreamEndCapture)(cudaStream_t stream, cudaGraph_t *graph);
    cudaError_t (*EventCreateWithFlags)(cudaEvent_t *event, unsigned flags);
    cudaError_t (*EventDestroy)(cudaEvent_t event);
    cudaError_t (*EventRecord)(cudaEvent_t event, cudaStream_t stream);
    cudaError_t (*EventSynchronize)(cudaEvent_t event);
    cudaError_t (*EventElapsedTime)(float *ms, cudaEvent_t start, cudaEvent_t end);
    cudaError_t (*GraphInstantiate)(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
    cudaError_t (*GraphLaunch)(cudaGraphExec_t exec, cudaStream_t stream);
    cudaError_t (*GraphDestroy)(cudaGraph_t graph);
    cudaError_t (*GraphExecDestroy)(cudaGraphExec_t exec);
    cudaError_t (*FuncGetAttributes)(struct cudaFuncAttributes *attributes, const void *kernel);
    cudaError_t (*FuncSetAttribute)(const void *kernel, enum cudaFuncAttribute attribute, int value);
    /* launch() (device.h) calls LaunchKernelExC on a GPU and, emulated, asks GetLastError after each launch. */
    cudaError_t (*LaunchKernelExC)(const cudaLaunchConfig_t *config, const void *kernel, void **args);
    cudaError_t (*GetLastError)(void);
};

extern struct cuda_api cuda;

/* Dies where error is one: FAIL_MEMORY for a lack of device memory, else FAIL_DEVICE, saying what was called. Main thread only. */
void cuda_check(cudaError_t error, const char *what);
#define CUDA(call, ...) cuda_check(cuda.call(__VA_ARGS__), "cuda" #call)

#endif
