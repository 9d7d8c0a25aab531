/* Errors, and the one device there is.
 *
 *     EMU_DEVICES=n   EMU_ARCH=80 (compute capability 8.0)   EMU_SM=8   EMU_MEMORY=bytes   EMU_DRIVER=12040 (its CUDA version; 0: none)
 *     EMU_CODE=75 (what its code was compiled for)   EMU_DIES=n: the n-th launch and all after it fail */
#include "block.h"
#include "runtime.h"
#include <algorithm>

namespace emu {

static thread_local cudaError_t last_error;

size_t option(const char *name, size_t otherwise) {
    const char *v = getenv(name);
    return v && *v ? strtoull(v, nullptr, 0) : otherwise;
}

cudaError_t fail(cudaError_t e) {
    if (e != cudaSuccess) last_error = e;
    return e;
}

cudaError_t check_device(int device) {
    int n = (int)option("EMU_DEVICES", 1);
    return fail(!n ? cudaErrorNoDevice : device < 0 || device >= n ? cudaErrorInvalidDevice : cudaSuccess);
}

bool died() {
    static const size_t at = option("EMU_DIES", 0);
    static size_t launched; /* under the streams' lock */
    return at && ++launched >= at && fail(cudaErrorLaunchFailure);
}

size_t total_memory() {
    return option("EMU_MEMORY", (size_t)16 << 30);
}

} // namespace emu

using namespace emu;

#define ERRORS(X)                                                                                                    \
    X(cudaSuccess, "no error")                                                                                       \
    X(cudaErrorInvalidValue, "invalid argument")                                                                     \
    X(cudaErrorMemoryAllocation, "out of memory")                                                                    \
    X(cudaErrorInitializationError, "initialization error")                                                          \
    X(cudaErrorInvalidConfiguration, "invalid configuration argument")                                               \
    X(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy")                                          \
    X(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version")                   \
    X(cudaErrorInvalidDeviceFunction, "invalid device function")                                                     \
    X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                                       \
    X(cudaErrorInvalidDevice, "invalid device ordinal")                                                              \
    X(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device")                   \
    X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                                     \
    X(cudaErrorNotReady, "device not ready")                                                                         \
    X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                                           \
    X(cudaErrorLaunchOutOfResources, "too many resources requested for launch")                                      \
    X(cudaErrorLaunchFailure, "unspecified launch failure")                                                          \
    X(cudaErrorNotSupported, "operation not supported")                                                              \
    X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")                         \
    X(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture")                  \
    X(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began")                       \
    X(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream")                    \
    X(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream")             \
    X(cudaErrorStreamCaptureWrongThread, "attempt to terminate a thread-local capture sequence from another thread") \
    X(cudaErrorInvalidClusterSize, "cluster size is not valid")                                                      \
    X(cudaErrorUnknown, "unknown error")

const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
#define X(name, text) \
    case name: return #name;
        ERRORS(X)
#undef X
    }
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
#define X(name, text) \
    case name: return text;
        ERRORS(X)
#undef X
    }
    return "unrecognized error code";
}

cudaError_t cudaGetLastError(void) {
    cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}
cudaError_t cudaPeekAtLastError(void) {
    return last_error;
}

cudaError_t cudaGetDeviceCount(int *count) {
    *count = 0;
    if (option("EMU_DRIVER", CUDART_VERSION) < CUDART_VERSION) return fail(cudaErrorInsufficientDriver);
    *count = (int)option("EMU_DEVICES", 1);
    return check_device(0);
}
cudaError_t cudaSetDevice(int device) {
    return check_device(device);
}
cudaError_t cudaDeviceGetPCIBusId(char *bus, int size, int device) {
    snprintf(bus, (size_t)size, "0000:%02x:00.0", device);
    return check_device(device);
}
cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return check_device(0);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device) {
    cudaError_t e = check_device(device);
    if (e) return e;
    int arch = (int)option("EMU_ARCH", 80);
    *prop = {};
    snprintf(prop->name, sizeof prop->name, "emulated");
    prop->totalGlobalMem = total_memory();
    prop->sharedMemPerBlock = shared_limit;
    prop->sharedMemPerBlockOptin = shared_limit_optin;
    prop->sharedMemPerMultiprocessor = shared_limit_optin + 1024;
    prop->regsPerBlock = 65536;
    prop->warpSize = 32;
    prop->maxThreadsPerBlock = 1024;
    prop->maxThreadsPerMultiProcessor = 2048;
    prop->maxThreadsDim[0] = prop->maxThreadsDim[1] = 1024, prop->maxThreadsDim[2] = 64;
    prop->maxGridSize[0] = 0x7fffffff, prop->maxGridSize[1] = prop->maxGridSize[2] = 65535;
    prop->major = arch / 10;
    prop->minor = arch % 10;
    prop->multiProcessorCount = (int)option("EMU_SM", 8);
    prop->l2CacheSize = 40 << 20;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = (int)option("EMU_DRIVER", CUDART_VERSION);
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

/* ---- NVML: one library whose GPU of bus n has n gigabytes free, most on the last but one ------------------------- */

static int nvml_ok(void) {
    return 0;
}
static int nvml_handle(const char *bus, void **gpu) {
    unsigned n;
    if (sscanf(bus, "0000:%x:00.0", &n) != 1) return 2;
    *gpu = reinterpret_cast<void *>(static_cast<uintptr_t>(n + 1));
    return 0;
}
static int nvml_memory(void *gpu, unsigned long long *total_free_used) {
    unsigned long long n = reinterpret_cast<uintptr_t>(gpu), last = option("EMU_DEVICES", 1);
    total_free_used[1] = (n == last ? 0 : n) << 30;
    return 0;
}

void *emu_nvml_symbol(const char *name) {
    static const struct {
        const char *name;
        void *function;
    } symbols[] = {
        {"nvmlInit_v2", reinterpret_cast<void *>(nvml_ok)},
        {"nvmlShutdown", reinterpret_cast<void *>(nvml_ok)},
        {"nvmlDeviceGetHandleByPciBusId_v2", reinterpret_cast<void *>(nvml_handle)},
        {"nvmlDeviceGetMemoryInfo", reinterpret_cast<void *>(nvml_memory)},
    };
    for (const auto &s : symbols)
        if (!strcmp(s.name, name)) return s.function;
    return nullptr;
}
