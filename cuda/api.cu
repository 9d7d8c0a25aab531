#include "cuda/device.h"

struct cuda_api cuda = {
    .Malloc = cudaMalloc,
    .MallocHost = cudaMallocHost,
    .GetDeviceCount = cudaGetDeviceCount,
    .SetDevice = cudaSetDevice,
    .DeviceGetPCIBusId = cudaDeviceGetPCIBusId,
    .DriverGetVersion = cudaDriverGetVersion,
    .RuntimeGetVersion = cudaRuntimeGetVersion,
    .GetDeviceProperties = cudaGetDeviceProperties,
    .MemGetInfo = cudaMemGetInfo,
    .Free = cudaFree,
    .FreeHost = cudaFreeHost,
    .MemcpyAsync = cudaMemcpyAsync,
    .MemsetAsync = cudaMemsetAsync,
    .StreamCreateWithFlags = cudaStreamCreateWithFlags,
    .StreamDestroy = cudaStreamDestroy,
    .StreamSynchronize = cudaStreamSynchronize,
    .StreamBeginCapture = cudaStreamBeginCapture,
    .StreamEndCapture = cudaStreamEndCapture,
    .EventCreateWithFlags = cudaEventCreateWithFlags,
    .EventDestroy = cudaEventDestroy,
    .EventRecord = cudaEventRecord,
    .EventSynchronize = cudaEventSynchronize,
    .EventElapsedTime = cudaEventElapsedTime,
    .GraphInstantiate = cudaGraphInstantiate,
    .GraphLaunch = cudaGraphLaunch,
    .GraphDestroy = cudaGraphDestroy,
    .GraphExecDestroy = cudaGraphExecDestroy,
    .FuncGetAttributes = cudaFuncGetAttributes,
    .FuncSetAttribute = cudaFuncSetAttribute,
    .LaunchKernelExC = cudaLaunchKernelExC,
    .GetLastError = cudaGetLastError,
};

void cuda_check(cudaError_t error, const char *what) {
    if (error == cudaSuccess) return;
    if (error == cudaErrorMemoryAllocation)
        die_hint(FAIL_MEMORY, "a smaller --size, or --device cpu", "cuda: %s: out of device memory", what);
    die(FAIL_DEVICE, "cuda: %s: %s", what, cudaGetErrorString(error));
}
