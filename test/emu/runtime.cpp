/* The runtime API: one emulated device with streams, events, graphs and memory of limited size.
 *
 *     EMU_DEVICES=0|1   EMU_ARCH=80 (compute capability 8.0)   EMU_SM=8   EMU_MEMORY=bytes
 *     EMU_LAZY=1        a stream runs only when somebody waits for it: what reads a result too early, or reuses a pinned buffer too early, shows
 *     EMU_SKIP=1        kernels, GEMMs and memsets are counted, not run
 *     EMU_REPORT=1      what was launched, at exit
 *
 * One lock around everything: operations of all streams run one at a time, on the thread that queued them or that waits for them. */
#include "block.h"
#include "runtime.h"
#include <algorithm>
#include <chrono>
#include <cxxabi.h>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace emu {
namespace {

size_t option(const char *name, size_t otherwise) {
    const char *v = getenv(name);
    return v ? strtoull(v, nullptr, 0) : otherwise;
}
bool flag(const char *name) { return option(name, 0) != 0; }

const bool lazy = flag("EMU_LAZY"), skip = flag("EMU_SKIP");

double now_ms() {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace
} // namespace emu

struct emu_event {
    emu_stream *stream;          /* of the last record; NULL: never recorded */
    uint64_t recorded, reached;  /* records so far, and the last one its stream has come to */
    double at_ms;
    bool timing, captured;
};

namespace emu {
namespace {

enum op_kind { KERNEL, HOST, COPY, SET, RECORD, WAIT, GRAPH };

struct op {
    enum op_kind kind;
    launch_config config;   /* KERNEL */
    void (*call)(void *);   /* KERNEL, HOST */
    std::vector<char> data; /* their closure; the snapshot of a COPY from pageable memory */
    void *dst;
    const void *src;
    size_t bytes;
    int value;
    emu_event *event;
    uint64_t ticket;
    std::shared_ptr<std::vector<op>> graph;
};

struct totals {
    std::map<const void *, uint64_t> kernels;
    uint64_t copies[5], copy_bytes[5], sets, graphs, graph_nodes, gemms;
};

std::recursive_mutex lock;
typedef std::lock_guard<std::recursive_mutex> locked;

std::map<uintptr_t, size_t> device_memory, pinned_memory;
size_t device_bytes;
std::map<const void *, size_t> shared_allowed;
std::vector<emu_stream *> streams;
size_t live_events, live_graphs, live_execs;
totals counted;
thread_local cudaError_t last_error;

size_t total_memory() { return option("EMU_MEMORY", (size_t)16 << 30); }

cudaError_t fail(cudaError_t e) {
    if (e != cudaSuccess) last_error = e;
    return e;
}

/* The block of memory that holds all of [p, p+bytes). */
bool inside(const std::map<uintptr_t, size_t> &blocks, const void *p, size_t bytes) {
    auto next = blocks.upper_bound((uintptr_t)p);
    if (next == blocks.begin()) return false;
    --next;
    size_t offset = (uintptr_t)p - next->first;
    return offset <= next->second && bytes <= next->second - offset && (offset < next->second || bytes == 0);
}

} // namespace
} // namespace emu

struct emu_stream {
    std::deque<emu::op> queue;
    std::unique_ptr<std::vector<emu::op>> capture;
    cudaStreamCaptureMode mode;
    bool invalid;
    const void *capturing_thread;
    bool running;
};
struct emu_graph {
    std::shared_ptr<std::vector<emu::op>> ops;
};
struct emu_graph_exec {
    std::shared_ptr<std::vector<emu::op>> ops;
};

namespace emu {
namespace {

emu_stream default_stream;
emu_stream *stream_of(cudaStream_t s) { return s ? s : &default_stream; }

thread_local char this_thread;

/* ---- running --------------------------------------------------------------------------------------------------------- */

void run_until(emu_stream *s, emu_event *event, uint64_t ticket);

void run(op &o) {
    switch (o.kind) {
    case KERNEL:
        if (!skip) run_grid(o.config, o.call, o.data.data());
        break;
    case HOST:
        if (!skip) o.call(o.data.data());
        break;
    case COPY: memcpy(o.dst, o.data.empty() ? o.src : o.data.data(), o.bytes); break;
    case SET:
        if (!skip) memset(o.dst, o.value, o.bytes);
        break;
    case RECORD:
        o.event->reached = o.ticket;
        o.event->at_ms = now_ms();
        break;
    case WAIT:
        if (o.event->reached < o.ticket) run_until(o.event->stream, o.event, o.ticket);
        break;
    case GRAPH:
        for (op &node : *o.graph) run(node);
        break;
    }
}

/* Runs what s has queued: all of it, or until it has come to that record of the event. */
void run_until(emu_stream *s, emu_event *event, uint64_t ticket) {
    while (!s->queue.empty() && !(event && event->reached >= ticket)) {
        op o = std::move(s->queue.front());
        s->queue.pop_front();
        run(o);
    }
}
void run_all(emu_stream *s) { run_until(s, nullptr, 0); }

void count(const op &o) {
    switch (o.kind) {
    case KERNEL: counted.kernels[o.config.kernel]++; break;
    case HOST: counted.gemms++; break;
    case COPY: counted.copies[o.value]++, counted.copy_bytes[o.value] += o.bytes; break;
    case SET: counted.sets++; break;
    case GRAPH:
        counted.graphs++, counted.graph_nodes += o.graph->size();
        for (const op &node : *o.graph) count(node);
        break;
    default: break;
    }
}

void push(emu_stream *s, op &&o) {
    if (s->capture) {
        s->capture->push_back(std::move(o));
        return;
    }
    count(o);
    if (lazy) s->queue.push_back(std::move(o));
    else run(o);
}

/* ---- capture: what must not be called meanwhile ------------------------------------------------------------------------ */

cudaError_t invalidate(emu_stream *s, cudaError_t e) {
    s->invalid = true;
    return fail(e);
}
/* Of a call that may synchronise, by the rules of cudaStreamBeginCapture. */
cudaError_t unsafe_call() {
    for (emu_stream *s : streams) {
        if (!s->capture || s->mode == cudaStreamCaptureModeRelaxed) continue;
        if (s->mode == cudaStreamCaptureModeGlobal || s->capturing_thread == &this_thread)
            return invalidate(s, cudaErrorStreamCaptureUnsupported);
    }
    return cudaSuccess;
}

} // namespace

void launch_closure(const launch_config &config, void (*call)(void *), const void *closure, size_t bytes, cudaStream_t stream) {
    locked hold(lock);
    dim3 g = config.grid, b = config.block;
    size_t threads = (size_t)b.x * b.y * b.z;
    auto allowed = shared_allowed.find(config.kernel);
    size_t limit = allowed == shared_allowed.end() ? shared_limit : allowed->second;
    if (threads < 1 || b.x > 1024 || b.y > 1024 || b.z > 64 || threads > 1024 || !g.x || !g.y || !g.z || g.x > 0x7fffffffu ||
        g.y > 65535 || g.z > 65535) {
        fail(cudaErrorInvalidConfiguration);
        return;
    }
    if (config.shared_bytes > limit) {
        fail(cudaErrorInvalidValue);
        return;
    }
    op o = {};
    o.kind = KERNEL;
    o.config = config;
    o.call = call;
    o.data.assign(static_cast<const char *>(closure), static_cast<const char *>(closure) + bytes);
    push(stream_of(stream), std::move(o));
}

void push_host(cudaStream_t stream, void (*call)(void *), const void *closure, size_t bytes) {
    locked hold(lock);
    op o = {};
    o.kind = HOST;
    o.call = call;
    o.data.assign(static_cast<const char *>(closure), static_cast<const char *>(closure) + bytes);
    push(stream_of(stream), std::move(o));
}

} // namespace emu

using namespace emu;

/* ---- errors, the device ------------------------------------------------------------------------------------------------ */

#define ERRORS(X) \
    X(cudaSuccess, "no error") \
    X(cudaErrorInvalidValue, "invalid argument") \
    X(cudaErrorMemoryAllocation, "out of memory") \
    X(cudaErrorInitializationError, "initialization error") \
    X(cudaErrorInvalidConfiguration, "invalid configuration argument") \
    X(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy") \
    X(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version") \
    X(cudaErrorInvalidDeviceFunction, "invalid device function") \
    X(cudaErrorNoDevice, "no CUDA-capable device is detected") \
    X(cudaErrorInvalidDevice, "invalid device ordinal") \
    X(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device") \
    X(cudaErrorInvalidResourceHandle, "invalid resource handle") \
    X(cudaErrorNotReady, "device not ready") \
    X(cudaErrorIllegalAddress, "an illegal memory access was encountered") \
    X(cudaErrorLaunchOutOfResources, "too many resources requested for launch") \
    X(cudaErrorLaunchFailure, "unspecified launch failure") \
    X(cudaErrorNotSupported, "operation not supported") \
    X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing") \
    X(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture") \
    X(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began") \
    X(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream") \
    X(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream") \
    X(cudaErrorStreamCaptureWrongThread, "attempt to terminate a thread-local capture sequence from another thread") \
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
cudaError_t cudaPeekAtLastError(void) { return last_error; }

cudaError_t cudaGetDeviceCount(int *count) {
    *count = (int)option("EMU_DEVICES", 1);
    return fail(*count ? cudaSuccess : cudaErrorNoDevice);
}
static cudaError_t check_device(int device) {
    int n = (int)option("EMU_DEVICES", 1);
    return fail(!n ? cudaErrorNoDevice : device < 0 || device >= n ? cudaErrorInvalidDevice : cudaSuccess);
}
cudaError_t cudaSetDevice(int device) { return check_device(device); }
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
    *version = option("EMU_DEVICES", 1) ? CUDART_VERSION : 0;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value) {
    locked hold(lock);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || (size_t)value > shared_limit_optin) return fail(cudaErrorInvalidValue);
    shared_allowed[kernel] = std::max((size_t)value, shared_limit);
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *) {
    locked hold(lock);
    *attributes = {};
    return check_device(0);
}

cudaError_t cudaLaunchKernel(const void *, dim3, dim3, void **, size_t, cudaStream_t) { return fail(cudaErrorNotSupported); }

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    locked hold(lock);
    *total = total_memory();
    *free_bytes = *total - std::min(*total, device_bytes);
    return check_device(0);
}

static cudaError_t take(std::map<uintptr_t, size_t> &blocks, void **p, size_t bytes) {
    if (posix_memalign(p, 256, bytes ? bytes : 1)) return fail(cudaErrorMemoryAllocation);
    if (!skip) memset(*p, 0xff, bytes); /* NaN */
    blocks[(uintptr_t)*p] = bytes;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t bytes) {
    locked hold(lock);
    cudaError_t e = unsafe_call();
    if (e || (e = check_device(0))) return e;
    *p = nullptr;
    if (!bytes) return cudaSuccess;
    if (bytes > total_memory() - std::min(total_memory(), device_bytes)) return fail(cudaErrorMemoryAllocation);
    e = take(device_memory, p, bytes);
    if (!e) device_bytes += bytes;
    return e;
}

static void run_everything() {
    run_all(&default_stream);
    for (emu_stream *s : streams) run_all(s);
}

static cudaError_t give(std::map<uintptr_t, size_t> &blocks, void *p, size_t *bytes) {
    locked hold(lock);
    if (!p) return cudaSuccess;
    cudaError_t e = unsafe_call();
    if (e) return e;
    auto at = blocks.find((uintptr_t)p);
    if (at == blocks.end()) return fail(cudaErrorInvalidValue);
    run_everything();
    if (bytes) *bytes -= at->second;
    blocks.erase(at);
    free(p);
    return cudaSuccess;
}
cudaError_t cudaFree(void *p) { return give(device_memory, p, &device_bytes); }
cudaError_t cudaFreeHost(void *p) { return give(pinned_memory, p, nullptr); }

cudaError_t cudaMallocHost(void **p, size_t bytes) {
    locked hold(lock);
    cudaError_t e = unsafe_call();
    if (e || (e = check_device(0))) return e;
    *p = nullptr;
    return bytes ? take(pinned_memory, p, bytes) : cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream) {
    locked hold(lock);
    emu_stream *s = stream_of(stream);
    if (!bytes) return cudaSuccess;
    bool from = inside(device_memory, src, bytes), to = inside(device_memory, dst, bytes);
    if (kind == cudaMemcpyDefault)
        kind = from ? to ? cudaMemcpyDeviceToDevice : cudaMemcpyDeviceToHost : to ? cudaMemcpyHostToDevice : cudaMemcpyHostToHost;
    if (from != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice) ||
        to != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice))
        return fail(cudaErrorInvalidValue);
    bool pageable = (!from && !inside(pinned_memory, src, bytes)) || (!to && !inside(pinned_memory, dst, bytes));
    if (s->capture && pageable) return invalidate(s, cudaErrorStreamCaptureUnsupported);
    op o = {};
    o.kind = COPY;
    o.dst = dst;
    o.src = src;
    o.bytes = bytes;
    o.value = kind;
    /* As the real runtime does: the call returns when pageable memory has been read. */
    if (lazy && !from && !inside(pinned_memory, src, bytes))
        o.data.assign(static_cast<const char *>(src), static_cast<const char *>(src) + bytes);
    push(s, std::move(o));
    /* … and, of a copy into pageable memory, when it has been written. */
    if (!to && !inside(pinned_memory, dst, bytes)) run_all(s);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind) {
    cudaError_t e = cudaMemcpyAsync(dst, src, bytes, kind, nullptr);
    return e ? e : cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream) {
    locked hold(lock);
    if (!bytes) return cudaSuccess;
    if (!inside(device_memory, p, bytes)) return fail(cudaErrorInvalidValue);
    op o = {};
    o.kind = SET;
    o.dst = p;
    o.value = value;
    o.bytes = bytes;
    push(stream_of(stream), std::move(o));
    return cudaSuccess;
}
cudaError_t cudaMemset(void *p, int value, size_t bytes) { return cudaMemsetAsync(p, value, bytes, nullptr); }

/* ---- streams, events ------------------------------------------------------------------------------------------------------ */

cudaError_t cudaDeviceSynchronize(void) {
    locked hold(lock);
    cudaError_t e = unsafe_call();
    if (!e) run_everything();
    return e;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    locked hold(lock);
    (void)flags;
    cudaError_t e = check_device(0);
    if (e) return e;
    *stream = new emu_stream();
    streams.push_back(*stream);
    return cudaSuccess;
}

static bool known(cudaStream_t s) { return !s || std::find(streams.begin(), streams.end(), s) != streams.end(); }

cudaError_t cudaStreamDestroy(cudaStream_t s) {
    locked hold(lock);
    if (!s || !known(s)) return fail(cudaErrorInvalidResourceHandle);
    run_all(s);
    streams.erase(std::find(streams.begin(), streams.end(), s));
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    locked hold(lock);
    if (!known(stream)) return fail(cudaErrorInvalidResourceHandle);
    emu_stream *s = stream_of(stream);
    if (s->capture) return invalidate(s, cudaErrorStreamCaptureUnsupported);
    run_all(s);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    locked hold(lock);
    cudaError_t e = check_device(0);
    if (e) return e;
    *event = new emu_event();
    (*event)->timing = !(flags & cudaEventDisableTiming);
    live_events++;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    locked hold(lock);
    if (!event) return fail(cudaErrorInvalidResourceHandle);
    run_everything(); /* queued operations name it */
    delete event;
    live_events--;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    locked hold(lock);
    emu_stream *s = stream_of(stream);
    event->captured = s->capture != nullptr;
    if (event->captured) return cudaSuccess; /* an order inside one stream that holds anyway */
    event->stream = s;
    op o = {};
    o.kind = RECORD;
    o.event = event;
    o.ticket = ++event->recorded;
    push(s, std::move(o));
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    locked hold(lock);
    if (event->captured) return fail(cudaErrorCapturedEvent);
    if (event->stream) run_until(event->stream, event, event->recorded);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    locked hold(lock);
    (void)flags;
    emu_stream *s = stream_of(stream);
    if (s->capture && event->captured) return cudaSuccess;
    if (s->capture) return invalidate(s, cudaErrorStreamCaptureIsolation);
    if (event->captured) return fail(cudaErrorStreamCaptureUnsupported); /* would make s part of the capture */
    op o = {};
    o.kind = WAIT;
    o.event = event;
    o.ticket = event->recorded;
    if (event->stream) push(s, std::move(o));
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end) {
    locked hold(lock);
    if (!start->timing || !end->timing || !start->recorded || !end->recorded) return fail(cudaErrorInvalidResourceHandle);
    if (start->reached < start->recorded || end->reached < end->recorded) return fail(cudaErrorNotReady);
    *ms = (float)(end->at_ms - start->at_ms);
    return cudaSuccess;
}

/* ---- graphs ---------------------------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    locked hold(lock);
    if (!stream) return fail(cudaErrorStreamCaptureUnsupported);
    if (stream->capture) return fail(cudaErrorStreamCaptureUnsupported);
    stream->capture = std::make_unique<std::vector<op>>();
    stream->mode = mode;
    stream->invalid = false;
    stream->capturing_thread = &this_thread;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    locked hold(lock);
    *graph = nullptr;
    if (!stream || !stream->capture) return fail(cudaErrorInvalidValue);
    if (stream->mode != cudaStreamCaptureModeRelaxed && stream->capturing_thread != &this_thread)
        return fail(cudaErrorStreamCaptureWrongThread);
    std::unique_ptr<std::vector<op>> ops = std::move(stream->capture);
    if (stream->invalid) return fail(cudaErrorStreamCaptureInvalidated);
    *graph = new emu_graph();
    (*graph)->ops = std::move(ops);
    live_graphs++;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags) {
    locked hold(lock);
    (void)flags;
    *exec = new emu_graph_exec();
    (*exec)->ops = graph->ops;
    live_execs++;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    locked hold(lock);
    emu_stream *s = stream_of(stream);
    if (s->capture) return invalidate(s, cudaErrorStreamCaptureUnsupported);
    op o = {};
    o.kind = GRAPH;
    o.graph = exec->ops;
    push(s, std::move(o));
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    locked hold(lock);
    if (!graph) return fail(cudaErrorInvalidValue);
    delete graph;
    live_graphs--;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    locked hold(lock);
    if (!exec) return fail(cudaErrorInvalidValue);
    delete exec;
    live_execs--;
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count) {
    locked hold(lock);
    size_t n = graph->ops->size();
    for (size_t i = 0; nodes && i < std::min(n, *count); i++) nodes[i] = reinterpret_cast<cudaGraphNode_t>(&(*graph->ops)[i]);
    if (!nodes || n < *count) *count = n;
    return cudaSuccess;
}

/* ---- reports --------------------------------------------------------------------------------------------------------------- */

namespace emu {

void report(FILE *out) {
    locked hold(lock);
    uint64_t launches = 0;
    for (auto &k : counted.kernels) {
        fprintf(out, "emu: %8llu  %s\n", (unsigned long long)k.second, kernel_name(k.first));
        launches += k.second;
    }
    fprintf(out, "emu: %llu launches of kernels, %llu GEMMs, %llu memsets\n", (unsigned long long)launches,
            (unsigned long long)counted.gemms, (unsigned long long)counted.sets);
    const char *direction[] = {"host to host", "host to device", "device to host", "device to device"};
    for (int i = 0; i < 4; i++)
        if (counted.copies[i])
            fprintf(out, "emu: %llu copies %s, %llu bytes\n", (unsigned long long)counted.copies[i], direction[i],
                    (unsigned long long)counted.copy_bytes[i]);
    if (counted.graphs)
        fprintf(out, "emu: %llu launches of graphs, %llu nodes\n", (unsigned long long)counted.graphs, (unsigned long long)counted.graph_nodes);
}

} // namespace emu
