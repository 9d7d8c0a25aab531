/* The inside of the emulated runtime.
 *
 * One lock around everything: the operations of all streams run one at a time, on the OS thread that queues them, or, with EMU_LAZY, on
 * the one that waits for them. */
#ifndef EMU_RUNTIME_H
#define EMU_RUNTIME_H

#include "emu.h"
#include "sanitizers.h"
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace emu {

constexpr size_t arguments_limit = 4096; /* of a kernel */

/* An integer from the environment. */
size_t option(const char *name, size_t otherwise);
extern const bool lazy, skip;

extern std::mutex lock;
typedef std::lock_guard<std::mutex> locked;

/* What cudaGetLastError says next. Returns e. */
cudaError_t fail(cudaError_t e);
/* cudaSuccess where the device exists. */
cudaError_t check_device(int device);
size_t total_memory();
/* EMU_DIES: this launch fails. */
bool died();

/* ---- operations -------------------------------------------------------------------------------------------------- */

struct event_state {
    emu_stream *stream;         /* of the last record */
    uint64_t recorded, reached; /* records so far, and the last one its stream has come to */
    double at_ms;
    bool timing, captured;
};

enum op_kind { KERNEL, HOST, COPY, SET, RECORD, WAIT, GRAPH };

struct op;
typedef std::vector<op> op_list;

struct op {
    enum op_kind kind;
    launch_config config;   /* KERNEL */
    void (*call)(void *);   /* KERNEL, HOST */
    std::vector<char> data; /* their closure */
    void *dst;              /* COPY, SET */
    const void *src;
    size_t bytes;
    int value;                          /* of SET; the direction of a COPY */
    std::shared_ptr<event_state> event; /* RECORD, WAIT */
    uint64_t ticket;                    /* the record in question */
    std::shared_ptr<op_list> graph;
};

} // namespace emu

struct emu_stream {
    std::deque<emu::op> queue;
    std::unique_ptr<emu::op_list> capture; /* NULL: not capturing */
    cudaStreamCaptureMode mode;
    bool invalid; /* the capture has been broken */
    const void *capturing_thread;
    emu::logical_thread logical;
    char queue_sync, done_sync;
    alignas(64) char arguments[emu::arguments_limit];       /* of the kernel under way */
    alignas(64) char early_arguments[emu::arguments_limit]; /* of the one after it */
};
struct emu_event {
    std::shared_ptr<emu::event_state> state;
};
struct emu_graph {
    std::shared_ptr<emu::op_list> ops;
};
struct emu_graph_exec {
    std::shared_ptr<emu::op_list> ops;
};

namespace emu {

emu_stream *stream_of(cudaStream_t s); /* NULL is the default stream */
/* Counts and runs or queues o, or adds it to what the stream captures. */
void push(emu_stream *s, op &&o);
void run_all(emu_stream *s);
void run_everything();
cudaError_t invalidate(emu_stream *s, cudaError_t e);
/* Whether a call that may synchronise is allowed, by the rules of cudaStreamBeginCapture; breaks the capture where it is not. */
cudaError_t unsafe_call();

/* Queues a library's work: call(copy of closure) runs on the host when the stream comes to it, and belongs to a graph that captures it. */
void push_host(cudaStream_t stream, void (*call)(void *), const void *closure, size_t bytes);

/* ---- memory: while no operation runs, the host cannot reach the device's ----------------------------------------- */

struct device_access {
    device_access();
    ~device_access();
};
/* While it lives, kernels cannot either. Inside a device_access. */
struct device_closed {
    device_closed();
    ~device_closed();
};
bool inside_device(const void *p, size_t bytes);
bool inside_pinned(const void *p, size_t bytes);

/* ---- counts ------------------------------------------------------------------------------------------------------ */

struct totals {
    std::map<const void *, uint64_t> kernels;
    uint64_t copies[5], copy_bytes[5], sets, graphs, graph_nodes, gemms;
    long streams, events, graphs_alive, execs, blocks, pinned; /* not destroyed yet */
};
extern totals &counted;
void count(const op &o);

} // namespace emu
#endif
