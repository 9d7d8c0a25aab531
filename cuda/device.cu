/* The CUDA device: opening and closing, memory, planning's bookkeeping and the two tables of ops. */
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>

#include "cuda/device.h"
#include "cuda/nvml.h"
extern "C" {
#include "engine/ops_check.h"
}

enum { ARENA_BASE = 4096 /* counted from while planning, never dereferenced; not NULL, which means "no view" */, ALIGN = 256 };

/* ---- memory ------------------------------------------------------------------------------------------------------ */

struct cuda_block {
    void *p;
    struct cuda_block *next;
};

struct cuda_forced cuda_forced;

static size_t cuda_memory_free(struct device *) {
    size_t free_bytes, total;
    CUDA(MemGetInfo, &free_bytes, &total);
    return free_bytes;
}

static void *cuda_alloc(struct device *base, size_t bytes) {
    struct cuda_device *dev = cuda_of(base);
    struct cuda_block *block = static_cast<struct cuda_block *>(sys.calloc(1, sizeof *block));
    if (!block) die(FAIL_MEMORY, "out of memory");
    size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN + ALIGN;
    cudaError_t error = cuda.Malloc(&block->p, rounded);
    if (error) {
        free(block);
        cuda.GetLastError(); /* the failure is reported here, not by the next launch */
        if (error != cudaErrorMemoryAllocation) cuda_check(error, "cudaMalloc");
        die_hint(FAIL_MEMORY, "a smaller --size, or --device cpu", "%s: out of memory: %.2f GB needed, %.2f GB free", base->name,
                 (double)rounded / 1e9, (double)cuda_memory_free(base) / 1e9);
    }
    block->next = dev->blocks;
    dev->blocks = block;
    CUDA(MemsetAsync, block->p, 0, rounded, dev->stream);
    return block->p;
}

static void cuda_free(struct device *base, void *p) {
    for (struct cuda_block **at = &cuda_of(base)->blocks; p && *at; at = &(*at)->next) {
        struct cuda_block *block = *at;
        if (block->p != p) continue;
        *at = block->next;
        cuda_of(base)->baked++;
        cuda.StreamSynchronize(cuda_of(base)->stream); /* what fails there is told by the next call */
        cublaslt_forget_biases(cuda_of(base)->blaslt); /* another may come to lie there */
        cuda.Free(block->p);
        free(block);
        return;
    }
    assert(!p);
}

/* ---- planning ---------------------------------------------------------------------------------------------------- */

void cuda_scratch_reserve(struct cuda_device *dev, size_t bytes) {
    if (bytes > dev->scratch_bytes) dev->scratch_bytes = bytes;
}

static size_t cuda_packed_bytes(struct device *, const struct weight *w) {
    const struct cuda_plan *plan = static_cast<const struct cuda_plan *>(w->plan);
    return plan ? plan->packed_bytes : 0;
}

static size_t cuda_scratch_bytes(const struct device *base) {
    return reinterpret_cast<const struct cuda_device *>(base)->scratch_bytes + loader_staging();
}

const void *cuda_packed_phases(struct cuda_device *dev, const struct weight *w) {
    return static_cast<const char *>(cuda_packed(dev, w)) + static_cast<const struct cuda_plan *>(w->plan)->phases_at;
}

const void *cuda_packed(struct cuda_device *dev, const struct weight *w) {
    if (!w) return NULL;
    if (dev->loader) loader_wait(dev->loader, w);
    else if (static_cast<const struct cuda_plan *>(w->plan)->pending) die(FAIL_IO, "tensor '%s' could not be read", w->name);
    return w->packed;
}

static bool cuda_pack(struct device *base, struct weight *w, const void *const raw[], void *) {
    return weight_pack(cuda_of(base), w, raw);
}

static void cuda_load(struct device *base, struct weight *const items[], int n) {
    struct cuda_device *dev = cuda_of(base);
    if (dev->loader) {
        loader_wait_all(dev->loader);
        loader_stop(dev->loader);
        dev->loader = NULL;
    }
    loader_start(dev, items, n);
}

static void cuda_load_forget(struct device *base) {
    loader_forget(cuda_of(base));
}

static double cuda_load_wait(struct device *base) {
    return cuda_of(base)->loader ? loader_wait_all(cuda_of(base)->loader) : 0;
}

/* ---- the two tables ---------------------------------------------------------------------------------------------- */

static const struct ops planning_ops = {
    .linear = cuda_linear_plan,
    .linear_geglu = cuda_linear_geglu_plan,
    .conv2d = cuda_conv2d_plan,
    .group_norm = cuda_group_norm_plan,
    .layer_norm = cuda_layer_norm_plan,
    .embed = cuda_embed_plan,
    .timestep_embed = cuda_timestep_embed_plan,
    .sched_step = cuda_sched_step_plan,
    .to_rgb8 = cuda_to_rgb8_plan,
};

static const struct ops running_ops = {
    .linear = cuda_linear,
    .linear_geglu = cuda_linear_geglu,
    .conv2d = cuda_conv2d,
    .group_norm = cuda_group_norm,
    .layer_norm = cuda_layer_norm,
    .attention = cuda_attention,
    .embed = cuda_embed,
    .timestep_embed = cuda_timestep_embed,
    .silu = cuda_silu,
    .modulate = cuda_modulate,
    .add = cuda_add,
    .resize = cuda_resize,
    .max_pool = cuda_max_pool,
    .model_input = cuda_model_input,
    .set_schedule = cuda_set_schedule,
    .next_row = cuda_next_row,
    .row_input = cuda_row_input,
    .sched_step = cuda_sched_step,
    .to_rgb8 = cuda_to_rgb8,
    .upload = cuda_upload,
    .download = cuda_download,
    .upload_latents = cuda_upload_latents,
    .download_latents = cuda_download_latents,
};

static void *grow(struct device *base, void *p, size_t *capacity, size_t bytes) {
    if (p && bytes <= *capacity) return p;
    cuda_free(base, p);
    *capacity = 0;
    p = cuda_alloc(base, bytes);
    *capacity = bytes;
    return p;
}

static void cuda_arena_fit(struct device *base, size_t bytes) {
    struct cuda_device *dev = cuda_of(base);
    base->arena_used = 0;
    if (base->arena_capacity == bytes) return;
    cuda_free(base, dev->arena);
    dev->arena = NULL;
    base->arena_capacity = 0;
    base->arena_base = dev->arena = static_cast<char *>(grow(base, NULL, &base->arena_capacity, bytes));
    base->arena_peak = bytes;
}

static void cuda_plan_begin(struct device *base) {
    struct cuda_device *dev = cuda_of(base);
    CUDA(StreamSynchronize, dev->stream); /* what runs still uses what may be given back */
    cublaslt_plan_begin(dev->blaslt);
    base->own = &planning_ops;
    base->planning = true;
    base->arena_base = reinterpret_cast<char *>(static_cast<uintptr_t>(ARENA_BASE));
    base->arena_used = base->arena_peak = 0;
    dev->round++;
    dev->baked++;
}

static void cuda_plan_end(struct device *base) {
    struct cuda_device *dev = cuda_of(base);
    assert(base->planning);
    dev->arena = static_cast<char *>(grow(base, dev->arena, &base->arena_capacity, base->arena_peak));
    dev->scratch = grow(base, dev->scratch, &dev->scratch_capacity, dev->scratch_bytes);
    base->arena_base = dev->arena;
    base->arena_peak = base->arena_capacity;
    base->arena_used = 0;
    base->own = &running_ops;
    base->planning = false;
}

/* ---- which GPU --------------------------------------------------------------------------------------------------- */

/* What was found, once: the thread cuda_start begins and cuda_device_open share it. */
static struct probe {
    pthread_t thread;
    bool running, done;
    int wanted, index; /* index: the GPU to use */
    int code;          /* the architecture this program's code for it was made for: 80 */
    char missing[512]; /* not empty: why there is none */
} probe;

/* One with code in this program, or why not. */
static const char *refuse(int index, char *text, size_t size) {
    struct cudaFuncAttributes attributes;
    struct cudaDeviceProp prop;
    cudaError_t error = cuda.SetDevice(index);
    if (!error) error = cuda.GetDeviceProperties(&prop, index);
    if (!error) error = cuda.FuncGetAttributes(&attributes, cuda_probe_kernel()); /* creates the context */
    if (!error) probe.code = attributes.ptxVersion;
    if (!error) return NULL;
    cuda.GetLastError();
    if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction)
        snprintf(text, size, "this program has no code for GPU %d (%s, sm_%d%d): build with CUDA_ARCH=%d%d", index, prop.name, prop.major,
                 prop.minor, prop.major, prop.minor);
    else snprintf(text, size, "GPU %d: %s", index, cudaGetErrorString(error));
    return text;
}

/* The number of GPUs; 0 and why, in probe.missing, where there is none. */
static int count_devices(void) {
    int count = 0, driver = 0, runtime = 0;
    cudaError_t error = cuda.GetDeviceCount(&count);
    if (!error && count > 0) return count;
    cuda.GetLastError();
    bool old = error == cudaErrorInsufficientDriver && !cuda.DriverGetVersion(&driver) && !cuda.RuntimeGetVersion(&runtime) && driver;
    if (old)
        snprintf(probe.missing, sizeof probe.missing, "the NVIDIA driver is for CUDA %d.%d, this program needs one for %d.%d or later",
                 driver / 1000, driver / 10 % 100, runtime / 1000, runtime / 10 % 100);
    else
        snprintf(probe.missing, sizeof probe.missing, "%s",
                 error == cudaErrorInsufficientDriver   ? "no NVIDIA driver was found"
                 : !error || error == cudaErrorNoDevice ? "no NVIDIA GPU was found"
                                                        : cudaGetErrorString(error));
    return 0;
}

static void find_device(void) {
    int count = count_devices();
    if (!count) return;
    if (probe.wanted >= count) {
        snprintf(probe.missing, sizeof probe.missing, "GPU %d: there %s %d", probe.wanted, count == 1 ? "is only" : "are only", count);
        return;
    }
    probe.index = probe.wanted >= 0 ? probe.wanted : count == 1 ? 0 : nvml_most_free_memory(count);
    refuse(probe.index, probe.missing, sizeof probe.missing);
}

static void *probe_thread(void *) {
    find_device();
    return NULL;
}

/* A process that ends early waits for the thread: the driver does not survive being left alone in the middle. */
static void probe_join(void) {
    if (!probe.running) return;
    probe.running = false;
    pthread_join(probe.thread, NULL);
    probe.done = true;
}

void cuda_start(int index) {
    if (probe.running || probe.done) return;
    probe.wanted = index;
    probe.running = sys.pthread_create(&probe.thread, NULL, probe_thread, NULL) == 0;
    if (probe.running) atexit(probe_join);
}

static void probe_finish(int index) {
    probe_join();
    if (probe.done && probe.wanted == index && !probe.missing[0]) return;
    probe = {};
    probe.wanted = index;
    find_device();
    probe.done = true;
}

const char *cuda_device_missing(void) {
    probe_finish(-1);
    return probe.missing[0] ? probe.missing : NULL;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static void cuda_close(struct device *base) {
    struct cuda_device *dev = cuda_of(base);
    if (dev->stream) cuda.StreamSynchronize(dev->stream);
    loader_stop(dev->loader);
    time_close(dev);
    transfer_close(dev);
    for (struct cuda_plan *plan = dev->plans, *next; plan; plan = next) {
        next = plan->next;
        free(plan);
    }
    while (dev->blocks) cuda_free(base, dev->blocks->p);
    cublaslt_close(dev->blaslt);
    free(dev->host_rows);
    if (dev->stream) cuda.StreamDestroy(dev->stream);
    free(dev);
}

static const char *cuda_products(struct device *base) {
    return cublaslt_products(cuda_of(base)->blaslt);
}

static void fill_table(struct cuda_device *dev, enum dtype dtype) {
    dev->base = {};
    dev->base.name = dev->name;
    dev->base.product = dev->product;
    dev->base.dtype = dtype;
    dev->base.ops = &ops_checked;
    dev->base.own = &planning_ops;
    dev->base.planning = true;
    dev->base.async = true;
    dev->base.own_memory = true;
    dev->base.arena_base = reinterpret_cast<char *>(static_cast<uintptr_t>(ARENA_BASE));
    dev->base.packed_bytes = cuda_packed_bytes;
    dev->base.pack = cuda_pack;
    dev->base.load = cuda_load;
    dev->base.load_wait = cuda_load_wait;
    dev->base.load_forget = cuda_load_forget;
    dev->base.memory_free = cuda_memory_free;
    dev->base.products = cuda_products;
    dev->base.plan_begin = cuda_plan_begin;
    dev->base.plan_end = cuda_plan_end;
    dev->base.arena_fit = cuda_arena_fit;
    dev->base.scratch_bytes = cuda_scratch_bytes;
    dev->base.alloc = cuda_alloc;
    dev->base.free = cuda_free;
    dev->base.close = cuda_close;
    dev->base.recording_new = recording_new;
    dev->base.recording_free = recording_free;
    dev->base.replay = replay;
    dev->base.recover = recover;
    dev->base.time_begin = time_begin;
    dev->base.time_mark = time_mark;
    dev->base.time_wait = time_wait;
}

/* Where the GPU and the code know of it (sm_90). DIFFUSE_PDL=0: never, each kernel waits for the one before. */
static bool may_begin_early(const struct cuda_device *dev) {
    const char *wanted = getenv("DIFFUSE_PDL");
    if (wanted && *wanted && strcmp(wanted, "0") && strcmp(wanted, "1"))
        die(FAIL_USAGE, "DIFFUSE_PDL: expected 0 or 1, found '%s'", wanted);
    return has_arch(dev, EARLY_ARCH) && !(wanted && !strcmp(wanted, "0"));
}

struct device *cuda_device_open(enum dtype dtype, int index) {
    assert(dtype == DT_F32 || dtype == DT_F16 || dtype == DT_BF16);
    probe_finish(index);
    if (probe.missing[0]) die_hint(FAIL_DEVICE, "--device cpu works everywhere", "--device cuda: %s", probe.missing);
    struct cudaDeviceProp prop;
    CUDA(SetDevice, probe.index);
    CUDA(GetDeviceProperties, &prop, probe.index);
    struct cuda_device *dev = static_cast<struct cuda_device *>(sys.calloc(1, sizeof *dev));
    if (!dev) die(FAIL_MEMORY, "out of memory");
    dev->index = probe.index;
    dev->sm_count = prop.multiProcessorCount;
    dev->arch = prop.major * 10 + prop.minor;
    dev->code = probe.code;
    dev->early = may_begin_early(dev);
    snprintf(dev->name, sizeof dev->name, "cuda:%d", dev->index);
    snprintf(dev->product, sizeof dev->product, "%s", prop.name);
    fill_table(dev, dtype);
    dev->base.gpu = {prop.multiProcessorCount, prop.maxThreadsPerMultiProcessor};
    CUDA(StreamCreateWithFlags, &dev->stream, cudaStreamNonBlocking);
    dev->blaslt = cublaslt_open();
    transfer_open(dev);
    return &dev->base;
}
