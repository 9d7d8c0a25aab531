/* The denoising loop's step as a CUDA graph, and the clock.
 *
 * The first step runs launch by launch: its weights are still arriving and cuBLASLt picks its algorithms. The second is captured, and from
 * then on a step is one submission. What changes from step to step lies in device memory (sched_step.cu), so nothing in the graph does;
 * where anything else changes (guidance, an address), the same happens again. */
#include <cassert>
#include <cstdlib>
#include <cstring>

#include "cuda/device.h"

struct recording {
    void (*work)(void *data);
    void *key; /* work's data when it was recorded */
    size_t key_bytes;
    unsigned baked; /* dev->baked then */
    int n_runs;
    cudaGraphExec_t exec; /* NULL before the second run */
};

struct recording *recording_new(struct device *) {
    struct recording *r = static_cast<struct recording *>(sys.calloc(1, sizeof *r));
    if (!r) die(FAIL_MEMORY, "out of memory");
    return r;
}

static void forget(struct recording *r) {
    if (r->exec) cuda.GraphExecDestroy(r->exec);
    free(r->key);
    *r = {};
}

void recording_free(struct device *, struct recording *r) {
    if (r) forget(r);
    free(r);
}

static bool is_current(const struct cuda_device *dev, const struct recording *r, void (*work)(void *data), const void *data, size_t bytes) {
    return r->work == work && r->baked == dev->baked && r->key_bytes == bytes && memcmp(r->key, data, bytes) == 0;
}

static void begin(const struct cuda_device *dev, struct recording *r, void (*work)(void *data), const void *data, size_t bytes) {
    forget(r);
    r->key = sys.malloc(bytes);
    if (!r->key) die(FAIL_MEMORY, "out of memory");
    memcpy(r->key, data, bytes);
    r->key_bytes = bytes;
    r->work = work;
    r->baked = dev->baked;
}

static void capture(struct cuda_device *dev, struct recording *r, void *data) {
    cudaGraph_t graph;
    CUDA(StreamBeginCapture, dev->stream, cudaStreamCaptureModeThreadLocal); /* the loader's threads go on */
    dev->capturing = true;
    r->work(data);
    dev->capturing = false;
    CUDA(StreamEndCapture, dev->stream, &graph);
    cudaError_t error = cuda.GraphInstantiate(&r->exec, graph, 0);
    cuda.GraphDestroy(graph);
    if (error) r->exec = NULL;
    cuda_check(error, "cudaGraphInstantiate");
}

void replay(struct device *base, struct recording *r, void (*work)(void *data), void *data, size_t bytes) {
    struct cuda_device *dev = cuda_of(base);
    if (!is_current(dev, r, work, data, bytes)) begin(dev, r, work, data, bytes);
    if (r->n_runs++ == 0) {
        dev->counts = {};
        work(data);
        dev->base.step_work = dev->counts;
        return;
    }
    if (!r->exec) capture(dev, r, data);
    CUDA(GraphLaunch, r->exec, dev->stream);
}

/* What was captured when the job died is thrown away; so is the error that broke it off, if the runtime holds one. Weights on their way
 * come all the same (load_forget). */
void recover(struct device *base) {
    struct cuda_device *dev = cuda_of(base);
    cudaGraph_t graph = NULL;
    if (!dev->capturing) return;
    dev->capturing = false;
    if (cuda.StreamEndCapture(dev->stream, &graph) == cudaSuccess && graph) cuda.GraphDestroy(graph);
    cuda.GetLastError();
}

/* ---- the clock --------------------------------------------------------------------------------------------------- */

void time_begin(struct device *base, int n) {
    struct cuda_device *dev = cuda_of(base);
    if (n <= dev->n_marks) return;
    cudaEvent_t *marks = static_cast<cudaEvent_t *>(sys.realloc(dev->marks, (size_t)n * sizeof *marks));
    if (!marks) die(FAIL_MEMORY, "out of memory");
    dev->marks = marks;
    while (dev->n_marks < n) {
        CUDA(EventCreateWithFlags, &dev->marks[dev->n_marks], cudaEventBlockingSync);
        dev->n_marks++;
    }
}

void time_mark(struct device *base, int i) {
    struct cuda_device *dev = cuda_of(base);
    assert(i < dev->n_marks);
    CUDA(EventRecord, dev->marks[i], dev->stream);
}

double time_wait(struct device *base, int i) {
    struct cuda_device *dev = cuda_of(base);
    float ms;
    assert(i > 0 && i < dev->n_marks);
    CUDA(EventSynchronize, dev->marks[i]);
    CUDA(EventElapsedTime, &ms, dev->marks[i - 1], dev->marks[i]);
    return ms;
}

void time_close(struct cuda_device *dev) {
    for (int i = 0; i < dev->n_marks; i++) cuda.EventDestroy(dev->marks[i]);
    free(dev->marks);
}
