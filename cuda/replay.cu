/* The denoising loop's step as a CUDA graph, and the clock.
 *
 * The first step runs launch by launch: its weights are still arriving and cuBLASLt picks its algorithms. The second is captured, and from
 * then on a step is one submission. What changes from step to step lies in device memory (sched_step.cu), so nothing in the graph does. */
#include <cassert>
#include <cstdlib>

#include "cuda/device.h"

struct recording {
    void (*work)(void *data);
    int n_runs;
    bool capturing;       /* a capture that was broken off by an error leaves this set: no graph then */
    cudaGraphExec_t exec; /* NULL before the second step */
};

static struct recording *recording_of(struct cuda_device *dev, void (*work)(void *data)) {
    if (!dev->recording) dev->recording = static_cast<struct recording *>(calloc(1, sizeof *dev->recording));
    if (!dev->recording) die(FAIL_MEMORY, "out of memory");
    assert(!dev->recording->work || dev->recording->work == work);
    dev->recording->work = work;
    return dev->recording;
}

static void capture(struct cuda_device *dev, struct recording *r, void *data) {
    cudaGraph_t graph;
    r->capturing = true;
    CUDA(StreamBeginCapture, dev->stream, cudaStreamCaptureModeThreadLocal); /* the loader's threads go on */
    r->work(data);
    CUDA(StreamEndCapture, dev->stream, &graph);
    cudaError_t error = cuda.GraphInstantiate(&r->exec, graph, 0);
    cuda.GraphDestroy(graph);
    cuda_check(error, "cudaGraphInstantiate");
    r->capturing = false;
}

void replay(struct device *base, void (*work)(void *data), void *data) {
    struct cuda_device *dev = cuda_of(base);
    struct recording *r = recording_of(dev, work);
    if (r->n_runs++ == 0 || r->capturing) {
        dev->counts = {};
        work(data);
        dev->base.step_work = dev->counts;
        return;
    }
    if (!r->exec) capture(dev, r, data);
    CUDA(GraphLaunch, r->exec, dev->stream);
}

void recording_free(struct cuda_device *dev) {
    if (dev->recording && dev->recording->exec) cuda.GraphExecDestroy(dev->recording->exec);
    free(dev->recording);
    dev->recording = NULL;
}

/* ---- the clock --------------------------------------------------------------------------------------------------- */

void time_begin(struct device *base, int n) {
    struct cuda_device *dev = cuda_of(base);
    if (n <= dev->n_marks) return;
    cudaEvent_t *marks = static_cast<cudaEvent_t *>(realloc(dev->marks, (size_t)n * sizeof *marks));
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
