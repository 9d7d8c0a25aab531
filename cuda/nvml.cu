/* NVML by dlopen: asking CUDA for a GPU's free memory makes a context there, a few tenths of a second and some hundred MB each. */
#include "cuda/nvml.h"
#ifdef __CUDACC__
#include <dlfcn.h>
#endif
#include "cuda/device.h"

/* As nvml.h of the CUDA toolkit has them. */
struct nvml_memory {
    unsigned long long total, free, used;
};
static struct nvml {
    int (*Init_v2)(void);
    int (*Shutdown)(void);
    int (*DeviceGetHandleByPciBusId_v2)(const char *bus, void **gpu);
    int (*DeviceGetMemoryInfo)(void *gpu, struct nvml_memory *memory);
} nvml;

template <class F> static bool find(F *f, void *library, const char *name) {
#ifdef __CUDACC__
    *f = reinterpret_cast<F>(library ? dlsym(library, name) : NULL);
#else
    (void)library;
    *f = reinterpret_cast<F>(emu_nvml_symbol(name));
#endif
    return *f;
}

static bool open_library(void) {
    void *library = NULL;
#ifdef __CUDACC__
    library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL); /* stays open */
#endif
#define FIND(name) find(&nvml.name, library, "nvml" #name)
    return FIND(Init_v2) && FIND(Shutdown) && FIND(DeviceGetHandleByPciBusId_v2) && FIND(DeviceGetMemoryInfo) && nvml.Init_v2() == 0;
#undef FIND
}

/* The two number the GPUs differently; the bus tells which is which. */
static unsigned long long free_memory_of(int index) {
    char bus[64];
    void *gpu;
    struct nvml_memory memory;
    if (cuda.DeviceGetPCIBusId(bus, sizeof bus, index)) return cuda.GetLastError(), 0;
    return nvml.DeviceGetHandleByPciBusId_v2(bus, &gpu) || nvml.DeviceGetMemoryInfo(gpu, &memory) ? 0 : memory.free;
}

int nvml_most_free_memory(int count) {
    int best = 0;
    unsigned long long most = 0;
    if (!open_library()) return 0;
    for (int i = 0; i < count; i++) {
        unsigned long long bytes = free_memory_of(i);
        if (bytes > most) most = bytes, best = i;
    }
    nvml.Shutdown();
    return best;
}
