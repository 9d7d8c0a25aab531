/* The weights' way from file to device.
 *
 *     file --pread--> pinned slot --copy--> device slot --kernel: convert, reorder--> w->packed
 *
 * The weights are cut into pieces of at most SLOT bytes, taken in order of use by a few threads, each with two slots and a stream of its
 * own: while one piece is copied the next is read. Nobody waits for all of it: an op waits for the weights it reads (cuda_packed), so
 * that text encoding and the first step run while the rest arrives. A thread never dies; it leaves its errno for the waiting one. */
#include <cerrno>
#include <cstdlib>
#include <pthread.h>

#include "cuda/pack.h"

extern "C" {
#include "engine/base/clock.h"
#include "engine/base/limits.h"
}

enum { MOST_THREADS = 8, N_SLOTS = 2 };

/* ---- the loader -------------------------------------------------------------------------------------------------- */

struct piece {
    struct weight *w;
    const struct tensor *part;
    uint64_t offset, bytes;
    size_t first; /* its first element's number in the weight */
};

struct slot {
    void *pinned, *device;
    cudaEvent_t copied;
    const struct piece *under_way; /* NULL: free */
};

struct worker {
    struct loader *loader;
    pthread_t thread;
    bool started;
    cudaStream_t stream;
    struct slot slots[N_SLOTS];
};

struct loader {
    struct cuda_device *dev;
    struct piece *pieces;
    int n_pieces, next; /* next: atomic */
    bool stop;          /* atomic */
    double start_ms, end_ms;
    struct worker workers[MOST_THREADS];

    pthread_mutex_t lock; /* guards what follows, and the waiting for cuda_plan.pending */
    pthread_cond_t changed;
    int n_left;                  /* pieces not delivered */
    int error;                   /* errno, */
    cudaError_t cuda_error;      /* or this, of the first piece that failed, */
    const struct tensor *failed; /* this one */
};

static void piece_failed(struct loader *l, const struct piece *piece, int error, cudaError_t cuda_error) {
    pthread_mutex_lock(&l->lock);
    if (!l->failed) l->failed = piece->part, l->error = error, l->cuda_error = cuda_error;
    __atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

/* The piece the slot holds has arrived; true unless that failed. */
static bool slot_finish(struct loader *l, struct slot *slot) {
    const struct piece *piece = slot->under_way;
    if (!piece) return true;
    slot->under_way = NULL;
    cudaError_t error = cuda.EventSynchronize(slot->copied);
    if (error) return piece_failed(l, piece, 0, error), false;
    pthread_mutex_lock(&l->lock);
    __atomic_fetch_sub(&static_cast<struct cuda_plan *>(piece->w->plan)->pending, 1, __ATOMIC_RELEASE);
    if (--l->n_left == 0) l->end_ms = clock_ms();
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    return true;
}

static bool slot_begin(struct worker *worker, struct slot *slot, const struct piece *piece) {
    struct loader *l = worker->loader;
    int error = piece->part->read(piece->part, slot->pinned, piece->offset, piece->bytes);
    if (error) return piece_failed(l, piece, error, cudaSuccess), false;
    cudaError_t failed = deliver(worker->stream, piece->w, piece->part->dtype, piece->first, slot->pinned, slot->device, piece->bytes);
    if (!failed) failed = cuda.EventRecord(slot->copied, worker->stream);
    if (failed) return piece_failed(l, piece, 0, failed), false;
    slot->under_way = piece;
    return true;
}

/* Pinning memory takes milliseconds a slot: each thread does it for itself. */
static cudaError_t slots_open(struct worker *worker) {
    cudaError_t error = cuda.SetDevice(worker->loader->dev->index);
    if (!error) error = cuda.StreamCreateWithFlags(&worker->stream, cudaStreamNonBlocking);
    for (int i = 0; i < N_SLOTS && !error; i++) {
        struct slot *slot = &worker->slots[i];
        error = cuda.MallocHost(&slot->pinned, SLOT);
        if (!error) error = cuda.Malloc(&slot->device, SLOT);
        if (!error) error = cuda.EventCreateWithFlags(&slot->copied, cudaEventDisableTiming);
    }
    return error;
}

static void *work(void *data) {
    struct worker *worker = static_cast<struct worker *>(data);
    struct loader *l = worker->loader;
    cudaError_t error = slots_open(worker);
    bool good = !error;
    if (error) piece_failed(l, &l->pieces[0], 0, error);
    for (int turn = 0; good && !__atomic_load_n(&l->stop, __ATOMIC_RELAXED); turn = (turn + 1) % N_SLOTS) {
        int i = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
        if (i >= l->n_pieces) break;
        good = slot_finish(l, &worker->slots[turn]) && slot_begin(worker, &worker->slots[turn], &l->pieces[i]);
    }
    for (int i = 0; i < N_SLOTS; i++) slot_finish(l, &worker->slots[i]);
    return NULL;
}

/* Cuts the weights into pieces; with pieces NULL only counts them. */
static int cut(struct weight *const items[], int n, struct piece *pieces) {
    int count = 0;
    for (int i = 0; i < n; i++) {
        size_t first = 0;
        if (pieces) static_cast<struct cuda_plan *>(items[i]->plan)->pending = 0; /* of a load that failed */
        for (int j = 0; j < items[i]->n_parts; j++) {
            const struct tensor *part = items[i]->parts[j];
            uint64_t most = piece_bytes(items[i], part);
            for (uint64_t at = 0; at < part->bytes; at += most, count++) {
                uint64_t bytes = part->bytes - at < most ? part->bytes - at : most;
                if (!pieces) continue;
                pieces[count] = (struct piece){items[i], part, at, bytes, first};
                first += bytes / item_bytes(part->dtype);
                static_cast<struct cuda_plan *>(items[i]->plan)->pending++;
            }
        }
    }
    return count;
}

static int thread_count(void) {
    int cpus = cpu_count();
    return cpus < MOST_THREADS ? cpus : MOST_THREADS;
}

size_t loader_staging(void) {
    return (size_t)thread_count() * N_SLOTS * SLOT;
}

struct loader *loader_start(struct cuda_device *dev, struct weight *const items[], int n) {
    struct loader *l = static_cast<struct loader *>(sys.calloc(1, sizeof *l));
    if (!l) die(FAIL_MEMORY, "out of memory");
    dev->loader = l; /* from here on close frees it, whatever fails */
    l->dev = dev;
    l->start_ms = clock_ms();
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    l->n_left = l->n_pieces = cut(items, n, NULL);
    l->pieces = static_cast<struct piece *>(sys.calloc((size_t)l->n_pieces + 1, sizeof *l->pieces));
    if (!l->pieces) die(FAIL_MEMORY, "out of memory");
    cut(items, n, l->pieces);
    CUDA(StreamSynchronize, dev->stream); /* the packed memory has been zeroed there */
    for (int i = 0; i < thread_count(); i++) {
        l->workers[i].loader = l;
        l->workers[i].started = sys.pthread_create(&l->workers[i].thread, NULL, work, &l->workers[i]) == 0;
        if (!l->workers[i].started && i == 0) die(FAIL_MEMORY, "cannot start a thread to read weights");
    }
    return l;
}

/* Dies where a piece failed. Called with the lock held, which it gives back first. */
static void check_failed(struct loader *l) {
    if (!l->failed) return;
    pthread_mutex_unlock(&l->lock);
    if (l->cuda_error) cuda_check(l->cuda_error, "loading weights");
    die(FAIL_IO, "%s: tensor '%s': %s", l->failed->file->path, l->failed->name,
        l->error == ESTALE ? "the file changed while it was read" : strerror(l->error));
}

void loader_wait(struct loader *l, const struct weight *w) {
    const struct cuda_plan *plan = static_cast<const struct cuda_plan *>(w->plan);
    if (__atomic_load_n(&plan->pending, __ATOMIC_ACQUIRE) == 0) return;
    pthread_mutex_lock(&l->lock);
    while (__atomic_load_n(&plan->pending, __ATOMIC_ACQUIRE) > 0) {
        check_failed(l);
        pthread_cond_wait(&l->changed, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
}

double loader_wait_all(struct loader *l) {
    pthread_mutex_lock(&l->lock);
    while (l->n_left) {
        check_failed(l);
        pthread_cond_wait(&l->changed, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return l->n_pieces ? l->end_ms - l->start_ms : 0;
}

/* What it has not delivered is to be read again. */
void loader_forget(struct cuda_device *dev) {
    struct loader *l = dev->loader;
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    bool failed = l->failed != NULL;
    pthread_mutex_unlock(&l->lock);
    if (!failed) return;
    for (int i = 0; i < MOST_THREADS; i++)
        if (l->workers[i].started) pthread_join(l->workers[i].thread, NULL), l->workers[i].started = false;
    for (int i = 0; i < l->n_pieces; i++)
        if (static_cast<const struct cuda_plan *>(l->pieces[i].w->plan)->pending) l->pieces[i].w->stale = true;
    loader_stop(l);
    dev->loader = NULL;
}

/* Also after a failure in the middle of loader_start: what was not made is NULL. */
void loader_stop(struct loader *l) {
    if (!l) return;
    __atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < MOST_THREADS; i++)
        if (l->workers[i].started) pthread_join(l->workers[i].thread, NULL);
    for (int i = 0; i < MOST_THREADS; i++) {
        struct worker *worker = &l->workers[i];
        for (int j = 0; j < N_SLOTS; j++) {
            if (worker->slots[j].copied) cuda.EventDestroy(worker->slots[j].copied);
            if (worker->slots[j].device) cuda.Free(worker->slots[j].device);
            if (worker->slots[j].pinned) cuda.FreeHost(worker->slots[j].pinned);
        }
        if (worker->stream) cuda.StreamDestroy(worker->stream);
    }
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l->pieces);
    free(l);
}
