/* Streams, events, launches and graphs.
 *
 *     EMU_LAZY=1   a stream runs only when somebody waits for it: a result read too early shows, and so does a pinned buffer reused too
 *                early
 *     EMU_SKIP=1   kernels, GEMMs and memsets are counted, not run
 *     EMU_EARLY=1  a block of every kernel that may begin early does, not of some
 *
 * Under ThreadSanitizer a stream is a logical thread of its own: it is ordered after the calls that queue its operations, and the host
 * after it only where the host waits for it. */
#include "block.h"
#include "runtime.h"
#include <algorithm>
#include <ctime>
#include <sys/syscall.h>
#include <unistd.h>

namespace emu {

const bool lazy = option("EMU_LAZY", 0) != 0, skip = option("EMU_SKIP", 0) != 0;
std::mutex lock;

namespace {

/* Never destroyed: streams may outlive main. */
auto &streams = *new std::vector<emu_stream *>;
auto &shared_allowed = *new std::map<const void *, size_t>; /* by kernel, where asked for */
thread_local char this_thread;

emu_stream *new_stream() {
    emu_stream *s = new emu_stream();
    s->logical = logical_thread_new();
    return s;
}

/* Not by clock_gettime(), which ThreadSanitizer sees write: to the stack of the thread that acts for the stream, whose next write there it
 * is not ordered with. */
double now_ms() {
    timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

void run_until(emu_stream *s, const event_state *event, uint64_t ticket);

/* Byte by byte, which no sanitizer sees: the arguments a kernel reads have no owner. */
void *arguments_of(const op &o, char *place) {
    volatile char *to = place;
    for (size_t i = 0; i < o.data.size(); i++) to[i] = o.data[i];
    return place;
}

/* The block that began early, of the kernel under way or of the one after it, and whether it has been settled that one does. */
struct {
    bool settled;
    size_t index = no_block;
} begun;

/* Of each kernel the first launches, then some: handing a block over takes longer than most kernels. None of a cluster's: the block that
 * begins is alone. */
bool is_due(const op &o) {
    static const bool always = option("EMU_EARLY", 0) != 0;
    static auto &launches = *new std::map<const void *, uint64_t>;
    uint64_t n = launches[o.config.kernel]++;
    return o.config.early && o.config.cluster == 1 && may_use_threads() && (always || n < 16 || n % 64 == 0);
}

/* A block of o begins, if o is a kernel that may. */
void begin(emu_stream *s, const op *o) {
    static uint64_t n;
    if (!o || o->kind != KERNEL) return;
    begun.settled = true;
    if (!is_due(*o)) return;
    dim3 g = o->config.grid;
    begun.index = (n++ * 0x9e3779b97f4a7c15 >> 20) % ((size_t)g.x * g.y * g.z);
    device_closed closed;
    begin_early(o->config, o->call, arguments_of(*o, s->early_arguments), begun.index);
}

/* next begins when o's blocks have begun: one has run, the others have not. */
void run_kernel(emu_stream *s, const op &o, const op *next) {
    if (!begun.settled) begin(s, &o);
    size_t done = begun.index;
    if (done != no_block) finish_early();
    begun = {};
    begin(s, next);
    run_grid(o.config, o.call, arguments_of(o, s->arguments), done);
}

/* next: what follows, where that is known. */
void run_op(emu_stream *s, op &o, const op *next) {
    switch (o.kind) {
    case KERNEL:
        if (!skip) run_kernel(s, o, next);
        break;
    case HOST:
        if (skip) break;
        begin(s, next);
        o.call(arguments_of(o, s->arguments));
        break;
    case COPY: memcpy(o.dst, o.src, o.bytes); break;
    case SET:
        if (!skip) memset(o.dst, o.value, o.bytes);
        break;
    case RECORD:
        o.event->reached = o.ticket;
        o.event->at_ms = now_ms();
        release(o.event.get());
        break;
    case WAIT:
        if (o.event->reached < o.ticket) run_until(o.event->stream, o.event.get(), o.ticket);
        acquire(o.event.get());
        break;
    case GRAPH:
        for (size_t i = 0; i < o.graph->size(); i++) run_op(s, (*o.graph)[i], i + 1 < o.graph->size() ? &(*o.graph)[i + 1] : nullptr);
        break;
    }
}

/* A stream that runs on an OS thread uses its thread-local variables: after they were made. */
void run(emu_stream *s, op &o) {
    static char made_sync;
    static thread_local bool made;
    if (!made) release(&made_sync);
    made = true;
    logical_thread self = logical_thread_current();
    act_as(s->logical);
    acquire(&made_sync);
    acquire(&s->queue_sync);
    run_op(s, o, s->queue.empty() ? nullptr : &s->queue.front());
    release(&s->done_sync);
    act_as(self);
}

/* Runs what s has queued: all of it, or until it has come to that record of the event. */
void run_until(emu_stream *s, const event_state *event, uint64_t ticket) {
    while (!s->queue.empty() && !(event && event->reached >= ticket)) {
        op o = std::move(s->queue.front());
        s->queue.pop_front();
        run(s, o);
    }
}

} // namespace

emu_stream *stream_of(cudaStream_t s) {
    static emu_stream *default_stream = new_stream();
    return s ? s : default_stream;
}

void push(emu_stream *s, op &&o) {
    if (s->capture) {
        s->capture->push_back(std::move(o));
        return;
    }
    count(o);
    release(&s->queue_sync);
    if (lazy) {
        s->queue.push_back(std::move(o));
        return;
    }
    device_access open;
    run(s, o);
}

void run_all(emu_stream *s) {
    if (!s->queue.empty()) {
        device_access open;
        run_until(s, nullptr, 0);
    }
    acquire(&s->done_sync);
}

void run_everything() {
    run_all(stream_of(nullptr));
    for (emu_stream *s : streams) run_all(s);
}

void push_host(cudaStream_t stream, void (*call)(void *), const void *closure, size_t bytes) {
    locked hold(lock);
    op o = {};
    o.kind = HOST;
    o.call = call;
    o.data.assign(static_cast<const char *>(closure), static_cast<const char *>(closure) + bytes);
    push(stream_of(stream), std::move(o));
}

/* ---- launching --------------------------------------------------------------------------------------------------- */

static bool valid_configuration(dim3 g, dim3 b) {
    size_t threads = (size_t)b.x * b.y * b.z;
    bool block = threads >= 1 && threads <= 1024 && b.x <= 1024 && b.y <= 1024 && b.z <= 64;
    return block && g.x && g.y && g.z && g.x <= 0x7fffffffu && g.y <= 65535 && g.z <= 65535;
}

void launch_closure(const launch_config &config, void (*call)(void *), const void *closure, size_t bytes, cudaStream_t stream) {
    locked hold(lock);
    if (died()) return;
    auto allowed = shared_allowed.find(config.kernel);
    size_t limit = allowed == shared_allowed.end() ? shared_limit : allowed->second;
    if (!valid_configuration(config.grid, config.block)) {
        fail(cudaErrorInvalidConfiguration);
        return;
    }
    if (config.cluster < 1 || config.cluster > most_cluster || config.grid.y % (unsigned)config.cluster) {
        fail(cudaErrorInvalidClusterSize);
        return;
    }
    if (config.shared_bytes > limit || bytes > arguments_limit) {
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

/* ---- capture ----------------------------------------------------------------------------------------------------- */

cudaError_t invalidate(emu_stream *s, cudaError_t e) {
    s->invalid = true;
    return fail(e);
}

cudaError_t unsafe_call() {
    for (emu_stream *s : streams) {
        if (!s->capture || s->mode == cudaStreamCaptureModeRelaxed) continue;
        if (s->mode == cudaStreamCaptureModeGlobal || s->capturing_thread == &this_thread)
            return invalidate(s, cudaErrorStreamCaptureUnsupported);
    }
    return cudaSuccess;
}

} // namespace emu

using namespace emu;

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *) {
    *attributes = {};
    attributes->ptxVersion = (int)option("EMU_CODE", option("EMU_ARCH", 80));
    return check_device(0);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value) {
    locked hold(lock);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || (size_t)value > shared_limit_optin) return fail(cudaErrorInvalidValue);
    shared_allowed[kernel] = std::max((size_t)value, shared_limit);
    return cudaSuccess;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *, const void *, void **) {
    return fail(cudaErrorNotSupported);
}

/* ---- streams, events --------------------------------------------------------------------------------------------- */

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
    *stream = new_stream();
    streams.push_back(*stream);
    counted.streams++;
    return cudaSuccess;
}

static bool unknown(cudaStream_t s) {
    return s && std::find(streams.begin(), streams.end(), s) == streams.end();
}

cudaError_t cudaStreamDestroy(cudaStream_t s) {
    locked hold(lock);
    if (!s || unknown(s)) return fail(cudaErrorInvalidResourceHandle);
    run_all(s);
    streams.erase(std::find(streams.begin(), streams.end(), s));
    logical_thread_free(s->logical);
    delete s;
    counted.streams--;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    locked hold(lock);
    if (unknown(stream)) return fail(cudaErrorInvalidResourceHandle);
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
    (*event)->state = std::make_shared<event_state>();
    (*event)->state->timing = !(flags & cudaEventDisableTiming);
    counted.events++;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    locked hold(lock);
    if (!event) return fail(cudaErrorInvalidResourceHandle);
    delete event;
    counted.events--;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    locked hold(lock);
    if (!event || unknown(stream)) return fail(cudaErrorInvalidResourceHandle);
    emu_stream *s = stream_of(stream);
    event_state &state = *event->state;
    state.captured = s->capture != nullptr;
    if (state.captured) return cudaSuccess; /* says nothing new inside one stream */
    state.stream = s;
    op o = {};
    o.kind = RECORD;
    o.event = event->state;
    o.ticket = ++state.recorded;
    push(s, std::move(o));
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    locked hold(lock);
    if (!event) return fail(cudaErrorInvalidResourceHandle);
    event_state &state = *event->state;
    if (state.captured) return fail(cudaErrorCapturedEvent);
    if (state.reached < state.recorded) {
        device_access open;
        run_until(state.stream, &state, state.recorded);
    }
    acquire(&state);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    locked hold(lock);
    (void)flags;
    if (!event || unknown(stream)) return fail(cudaErrorInvalidResourceHandle);
    emu_stream *s = stream_of(stream);
    const event_state &state = *event->state;
    if (s->capture && state.captured) return cudaSuccess;
    if (s->capture) return invalidate(s, cudaErrorStreamCaptureIsolation);
    if (state.captured) return fail(cudaErrorStreamCaptureUnsupported); /* would make s part of the capture: not emulated */
    if (!state.recorded) return cudaSuccess;
    op o = {};
    o.kind = WAIT;
    o.event = event->state;
    o.ticket = state.recorded;
    push(s, std::move(o));
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end) {
    locked hold(lock);
    if (!start || !end) return fail(cudaErrorInvalidResourceHandle);
    const event_state &a = *start->state, &b = *end->state;
    if (!a.timing || !b.timing || !a.recorded || !b.recorded) return fail(cudaErrorInvalidResourceHandle);
    if (a.reached < a.recorded || b.reached < b.recorded) return fail(cudaErrorNotReady);
    *ms = (float)(b.at_ms - a.at_ms);
    return cudaSuccess;
}

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    locked hold(lock);
    if (!stream || unknown(stream) || stream->capture) return fail(cudaErrorStreamCaptureUnsupported);
    stream->capture = std::make_unique<op_list>();
    stream->mode = mode;
    stream->invalid = false;
    stream->capturing_thread = &this_thread;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    locked hold(lock);
    *graph = nullptr;
    if (!stream || unknown(stream) || !stream->capture) return fail(cudaErrorInvalidValue);
    if (stream->mode != cudaStreamCaptureModeRelaxed && stream->capturing_thread != &this_thread)
        return fail(cudaErrorStreamCaptureWrongThread);
    std::unique_ptr<op_list> ops = std::move(stream->capture);
    if (stream->invalid) return fail(cudaErrorStreamCaptureInvalidated);
    *graph = new emu_graph();
    (*graph)->ops = std::move(ops);
    counted.graphs_alive++;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags) {
    locked hold(lock);
    (void)flags;
    if (!graph) return fail(cudaErrorInvalidValue);
    *exec = new emu_graph_exec();
    (*exec)->ops = graph->ops;
    counted.execs++;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    locked hold(lock);
    if (!exec || unknown(stream)) return fail(cudaErrorInvalidValue);
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
    counted.graphs_alive--;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    locked hold(lock);
    if (!exec) return fail(cudaErrorInvalidValue);
    delete exec;
    counted.execs--;
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n) {
    locked hold(lock);
    if (!graph) return fail(cudaErrorInvalidValue);
    size_t all = graph->ops->size();
    for (size_t i = 0; nodes && i < std::min(all, *n); i++) nodes[i] = reinterpret_cast<cudaGraphNode_t>(&(*graph->ops)[i]);
    if (!nodes || all < *n) *n = all;
    return cudaSuccess;
}
