#include "engine/base/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "engine/base/clock.h"
#include "engine/base/sys.h"

enum {
    SHORT_NS = 8000,       /* a loop of less runs on the caller */
    CHUNK_NS = 16000,      /* claimed at a time */
    BUSY_SHORT_NS = 300000 /* the same while others want the CPU: to wake a thread then costs as much as this */
};
static const double SPIN_MS = 0.1, PAUSE_MS = 0.01 /* of it without a system call */, LOST_MS = 0.5, BUSY_MS = 20;
enum { STACK_BYTES = 2 << 20, PAUSES = 32 };

struct worker {
    struct pool *pool;
    pthread_t thread;
    int number;
};

struct pool {
    int n_threads;
    struct worker *workers; /* n_threads - 1 */

    /* The loop at hand. Changed only while `ticket` is closed to its claims; see claim(). */
    _Atomic(pool_job *) job;
    _Atomic(void *) context;
    atomic_size_t n, grain;
    atomic_uint n_chunks;

    _Alignas(64) _Atomic uint64_t ticket; /* loop's number << 32 | next chunk to claim */
    _Alignas(64) atomic_uint done;        /* chunks; a futex for the caller … */
    atomic_uint waiting;                  /* … who sleeps on it */
    _Alignas(64) atomic_uint loop;        /* the loop's number; a futex for the workers … */
    atomic_uint sleeping;                 /* … so many of whom sleep on it */
    atomic_bool quit;
    _Atomic double busy_until; /* clock_ms: others want the CPU */
};

static const unsigned CLOSED = UINT32_MAX;

static void futex_wait(atomic_uint *word, unsigned value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, unsigned n) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static void cpu_relax(void) {
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

static bool is_busy(struct pool *p, double now) {
    return now < atomic_load_explicit(&p->busy_until, memory_order_relaxed);
}

/* Spins until *word is not `value`, or not much longer: false. Yields early, so that a thread with work gets this CPU; one that was away
 * for long says that the CPU is wanted. */
static bool spin(struct pool *p, atomic_uint *word, unsigned value) {
    double start = clock_ms(), last = start;
    while (!is_busy(p, last)) {
        for (int i = 0; i < PAUSES; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != value) return true;
            cpu_relax();
        }
        if (last - start > PAUSE_MS) sched_yield();
        double now = clock_ms();
        if (now - last > LOST_MS) atomic_store_explicit(&p->busy_until, now + BUSY_MS, memory_order_relaxed);
        if (now - start > SPIN_MS) break;
        last = now;
    }
    return atomic_load_explicit(word, memory_order_acquire) != value;
}

/* Takes the next chunk of loop `number`: false if none is left. What is read of the loop belongs to it: it cannot end while a chunk is
 * unclaimed, nor the next one's description be seen while the ticket still is this one's. */
static bool claim(struct pool *p, unsigned number, size_t *begin, size_t *end, pool_job **job, void **context) {
    uint64_t ticket = atomic_load(&p->ticket);
    for (;;) {
        unsigned chunk = (unsigned)ticket;
        if (ticket >> 32 != number || chunk >= atomic_load(&p->n_chunks)) return false;
        size_t n = atomic_load(&p->n), grain = atomic_load(&p->grain);
        *job = atomic_load(&p->job);
        *context = atomic_load(&p->context);
        *begin = chunk * grain;
        *end = n - *begin < grain ? n : *begin + grain;
        if (atomic_compare_exchange_weak(&p->ticket, &ticket, ticket + 1)) return true;
    }
}

static void work(struct pool *p, unsigned number, int thread) {
    size_t begin, end;
    pool_job *job;
    void *context;
    while (claim(p, number, &begin, &end, &job, &context)) {
        job(context, begin, end, thread);
        unsigned n_chunks = atomic_load(&p->n_chunks); /* before this chunk counts: the loop may then end */
        if (atomic_fetch_add(&p->done, 1) + 1 == n_chunks && atomic_load(&p->waiting)) futex_wake(&p->done, 1);
    }
}

static void *worker_main(void *data) {
    struct worker *w = data;
    struct pool *p = w->pool;
    for (unsigned seen = 0; !atomic_load(&p->quit);) {
        if (spin(p, &p->loop, seen)) {
            seen = atomic_load(&p->loop);
            work(p, seen, w->number);
            continue;
        }
        atomic_fetch_add(&p->sleeping, 1);
        futex_wait(&p->loop, seen);
        atomic_fetch_sub(&p->sleeping, 1);
    }
    return NULL;
}

static bool worker_start(struct worker *w, struct pool *p, int number) {
    pthread_attr_t attr;
    *w = (struct worker){.pool = p, .number = number};
    if (pthread_attr_init(&attr)) return false;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int error = sys.pthread_create(&w->thread, &attr, worker_main, w);
    pthread_attr_destroy(&attr);
    return !error;
}

struct pool *pool_new(int n_threads) {
    struct pool *p = sys.aligned_alloc(64, sizeof *p);
    if (!p) return NULL;
    *p = (struct pool){.n_threads = 1, .workers = sys.calloc((size_t)n_threads, sizeof *p->workers), .ticket = CLOSED};
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV); /* a thread's own fault finds its handler */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->workers && p->n_threads < n_threads && worker_start(&p->workers[p->n_threads - 1], p, p->n_threads)) p->n_threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return p;
}

void pool_free(struct pool *p) {
    if (!p) return;
    atomic_store(&p->quit, true);
    atomic_fetch_add(&p->loop, 1);
    futex_wake(&p->loop, INT32_MAX);
    for (int i = 0; i < p->n_threads - 1; i++) pthread_join(p->workers[i].thread, NULL);
    free(p->workers);
    free(p);
}

int pool_threads(const struct pool *p) {
    return p ? p->n_threads : 1;
}

/* How many chunks n items are cut into: 1 where the caller is better alone. */
static size_t chunks_of(struct pool *p, size_t n, double item_ns) {
    double all = (double)n * item_ns;
    if (pool_threads(p) == 1 || n < 2 || all < SHORT_NS) return 1;
    if (all < BUSY_SHORT_NS && is_busy(p, clock_ms())) return 1;
    double chunks = all / CHUNK_NS;
    if (chunks < p->n_threads) chunks = p->n_threads;
    if (chunks > CLOSED / 2) chunks = CLOSED / 2;
    return chunks < (double)n ? (size_t)chunks : n;
}

void pool_for(struct pool *p, size_t n, double item_ns, pool_job *job, void *context) {
    size_t n_chunks = chunks_of(p, n, item_ns), grain = n ? (n + n_chunks - 1) / n_chunks : 0;
    if (n_chunks <= 1) {
        if (n) job(context, 0, n, 0);
        return;
    }
    n_chunks = (n + grain - 1) / grain;
    unsigned number = atomic_load(&p->loop) + 1;
    atomic_store(&p->ticket, (uint64_t)number << 32 | CLOSED);
    atomic_store(&p->job, job);
    atomic_store(&p->context, context);
    atomic_store(&p->n, n);
    atomic_store(&p->grain, grain);
    atomic_store(&p->n_chunks, (unsigned)n_chunks);
    atomic_store(&p->done, 0);
    atomic_store(&p->ticket, (uint64_t)number << 32);
    atomic_store(&p->loop, number);
    if (atomic_load(&p->sleeping)) futex_wake(&p->loop, (unsigned)n_chunks - 1);
    work(p, number, 0);
    for (unsigned done; (done = atomic_load(&p->done)) != n_chunks;) {
        if (spin(p, &p->done, done)) continue;
        atomic_store(&p->waiting, 1);
        if (atomic_load(&p->done) == done) futex_wait(&p->done, done);
        atomic_store(&p->waiting, 0);
    }
}
