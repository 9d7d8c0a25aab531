/* Runs grids. A block's threads are fibers on one OS thread; blocks go to OpenMP threads.
 *
 * A fiber runs threads of the block back to back until one must wait; that thread keeps the fiber, and the next one gets another.
 * Threads are started and resumed in an order that the environment chooses, since an order hides some races and shows others:
 *     EMU_SEED=n     even: random;  odd: greedy, one warp runs as far ahead of the others as it can (finds a missing second barrier)
 *     EMU_ORDER=reverse
 *     EMU_ASYNC=early|late|random
 *                    when a cp.async copies: at once (finds a stage that is loaded while others still read it), when it is waited for, or
 *                    either. Late unless said
 * One block of a kernel that may begin early runs up to after_previous() before the kernel before has run, where that is known by then (in
 * a graph, or with EMU_LAZY), and while the device's memory is closed to it.
 * The blocks of a cluster run on one OS thread, each until all its threads stand at the cluster's barrier.
 *
 * Under ThreadSanitizer each thread has a logical thread of its own, and blocks of a grid are not ordered with each other. */
#include "block.h"
#include "context.h"
#include "sanitizers.h"
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <csignal>
#include <mutex>
#include <pthread.h>
#include <sys/mman.h>

EMU_THREAD_LOCAL uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace emu {

EMU_THREAD_LOCAL unsigned block_epoch;
EMU_THREAD_LOCAL void *dynamic_shared;

namespace {

constexpr size_t stack_bytes = (checked ? 256 : 64) << 10, guard_bytes = 4096;
constexpr int max_threads = 1024, max_warps = max_threads / 32, max_copies = 256, max_statics = 256;

struct fiber {
    emu_context context;
    char *memory; /* a guard, then the stack; NULL for the fiber that is the OS thread */
    const void *low;
    size_t size;
    int thread; /* of the block; -1 while it runs none */
    void *fake_stack;
    logical_thread logical;
};

enum state : uint8_t { NEW, READY, AT_BARRIER, AT_CLUSTER, IN_WARP_OP, AFTER_PREVIOUS, RETURNED };

struct async_copy {
    void *dst;
    const void *src;
    unsigned bytes, valid;
    int group;
};

struct thread {
    enum state state;
    bool waited; /* in after_previous() */
    uint3 index;
    fiber *on;
    const char *file; /* where it waits */
    int line;
    int vote_result;
    unsigned warp_ops;
    int next_group, n_copies; /* of cp.async, not waited for yet */
    async_copy copies[max_copies];
};

/* Lanes of a warp waiting for each other. */
struct rendezvous {
    unsigned mask, arrived;
    warp_fn *fn;
    void *lane[32];
};
struct warp {
    unsigned lanes, returned;
    int n_waiting;
    rendezvous waiting[32];
    char sync[2];
};

/* Memory for SHARED and DYNAMIC_SHARED that ThreadSanitizer forgets about between blocks. */
struct shared_memory {
    void *p;
    size_t bytes;
};

/* The block an OS thread is running, and what it keeps for the next one; of a cluster, one of the blocks it runs in turns. No container
 * inside: fibers must not allocate, since what frees it later is not ordered with them. */
struct block {
    void (*call)(void *);
    void *closure;
    const void *kernel;
    int n, live, started;
    bool early;  /* the kernel may begin early: its threads must wait */
    bool before; /* the kernel before has not ended yet */
    thread threads[max_threads];
    warp warps[max_warps];
    int order[max_threads];

    int ready[max_threads]; /* a ring; where the first of them in `order` goes on, only head and tail count */
    unsigned head, tail;
    uint64_t ready_ranks[max_threads / 64]; /* a bit for each place in `order` whose thread is ready */
    int rank[max_threads];                  /* a thread's place in `order` */

    int at_barrier, votes;
    enum vote vote;
    unsigned barriers;
    bool of_cluster;
    int at_cluster; /* threads at its barrier */
    unsigned cluster_barriers;
    uint3 at;

    fiber main, *current;
    fiber *all[max_threads], *idle[max_threads], *retired[max_threads];
    int n_all, n_idle, n_retired;
    uint64_t random, random_copies;
    bool greedy;

    shared_memory dynamic, statics[max_statics];
    int n_statics;
    char start_sync, end_sync, barrier_sync[2];

    ~block();
};
thread_local std::unique_ptr<block> owned[most_cluster];
EMU_THREAD_LOCAL block *current_block; /* one of them, without the guard of a thread_local object */
EMU_THREAD_LOCAL char cluster_sync[2];

const uint64_t seed = getenv("EMU_SEED") ? strtoull(getenv("EMU_SEED"), nullptr, 0) : 0;
const bool reverse = getenv("EMU_ORDER") && !strcmp(getenv("EMU_ORDER"), "reverse");

block &running() {
    return *current_block;
}

uint64_t next_random(block &b) {
    b.random ^= b.random << 13;
    b.random ^= b.random >> 7;
    b.random ^= b.random << 17;
    return b.random;
}

[[noreturn]] void die(block &b, const char *what) {
    fprintf(stderr, "emu: %s in %s, block (%u,%u,%u), thread %d\n", what, kernel_name(b.kernel), blockIdx.x, blockIdx.y, blockIdx.z,
            b.current ? b.current->thread : -1);
    const thread *last = nullptr;
    for (int i = 0, shown = 0; i < b.n && shown < 8; i++) {
        const thread &t = b.threads[i];
        if (t.state != AT_BARRIER && t.state != AT_CLUSTER && t.state != IN_WARP_OP) continue;
        if (last && last->line == t.line && last->file == t.file && last->state == t.state) continue;
        const char *where = t.state == AT_BARRIER ? "__syncthreads" : t.state == AT_CLUSTER ? "cluster_barrier" : "a warp operation";
        fprintf(stderr, "  thread %d waits in %s at %s:%d\n", i, where, t.file, t.line);
        last = &t;
        shown++;
    }
    abort();
}

/* ---- fibers ------------------------------------------------------------------------------------------------------ */

void enter();

fiber *make_fiber(block &b) {
    fiber *f = new fiber();
    void *p = mmap(nullptr, stack_bytes + guard_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) die(b, "no memory for stacks");
    f->memory = static_cast<char *>(p);
    mprotect(f->memory, guard_bytes, PROT_NONE);
    f->low = f->memory + guard_bytes;
    f->size = stack_bytes;
    /* Tops at the same place of every stack would fall into the same sets of the cache. */
    size_t stagger = (size_t)b.n_all % 61 * 192;
    context_make(f->context, f->memory + guard_bytes, stack_bytes - stagger, enter);
    f->logical = logical_thread_new();
    b.all[b.n_all++] = f;
    return f;
}

fiber *take_fiber(block &b) {
    return b.n_idle ? b.idle[--b.n_idle] : make_fiber(b);
}

__forceinline__ void switch_to(block &b, fiber *to) {
    fiber *self = b.current;
    b.current = to;
    if (to->thread >= 0) threadIdx = b.threads[to->thread].index;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&self->fake_stack, to->low, to->size);
#endif
    act_as(to->logical);
    context_switch(self->context, to->context);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(self->fake_stack, nullptr, nullptr);
#endif
}

/* ---- which thread runs next -------------------------------------------------------------------------------------- */

void push_ready(block &b, int t) {
    if (b.greedy) b.ready_ranks[b.rank[t] / 64] |= (uint64_t)1 << b.rank[t] % 64;
    else b.ready[b.tail % max_threads] = t;
    b.tail++;
}

/* -1 where no thread is ready. */
__forceinline__ int pop_ready(block &b) {
    if (b.head == b.tail) return -1;
    if (b.greedy) {
        int word = 0;
        while (!b.ready_ranks[word]) word++;
        int first = word * 64 + __builtin_ctzll(b.ready_ranks[word]);
        b.ready_ranks[word] &= b.ready_ranks[word] - 1;
        b.head++;
        return b.order[first];
    }
    int *ring = b.ready;
    if (b.random) std::swap(ring[(b.head + (unsigned)(next_random(b) % (b.tail - b.head))) % max_threads], ring[b.head % max_threads]);
    return ring[b.head++ % max_threads];
}

/* The only block that runs before its kernel's turn, and what its OS thread and the stream's tell each other. */
struct early_block {
    std::mutex lock;
    std::condition_variable changed;
    enum { IDLE, WANTED, STANDS, GOES_ON } at = IDLE;
    launch_config config;
    void (*call)(void *);
    void *closure;
    size_t index;

    void set(decltype(at) to) {
        std::lock_guard<std::mutex> hold(lock);
        at = to;
        changed.notify_all();
    }
    void wait_for(decltype(at) what) {
        std::unique_lock<std::mutex> hold(lock);
        changed.wait(hold, [&] { return at == what; });
    }
};
auto &early = *new early_block(); /* never destroyed: its thread may outlive main */

/* All that could be done before the kernel before has ended has been done. */
void let_previous_end(block &b) {
    early.set(early_block::STANDS);
    early.wait_for(early_block::GOES_ON);
    b.before = false;
    for (int i = 0; i < b.n; i++)
        if (b.threads[b.order[i]].state == AFTER_PREVIOUS) push_ready(b, b.order[i]);
}

/* The next to go on; -1: all wait for each other. */
int next_ready(block &b) {
    int t = pop_ready(b);
    if (t >= 0 || !b.before) return t;
    let_previous_end(b);
    return pop_ready(b);
}

/* The running thread cannot go on: another one does, and returns here when this one is ready again. */
__forceinline__ void wait(block &b) {
    bool start = b.started < b.n;
    if (start && b.random && b.head != b.tail && (b.greedy || (next_random(b) & 1))) start = false;
    if (start) {
        switch_to(b, take_fiber(b));
        return;
    }
    int t = next_ready(b);
    if (t < 0 && b.at_cluster == b.live) { /* another block's turn */
        switch_to(b, &b.main);
        return;
    }
    if (t < 0) die(b, "deadlock");
    b.threads[t].state = READY;
    if (b.threads[t].on == b.current) return;
    switch_to(b, b.threads[t].on);
}

void release_barrier(block &b) {
    const thread *first = nullptr;
    int result = b.vote == VOTE_AND ? b.votes == b.at_barrier : b.vote == VOTE_OR ? b.votes > 0 : b.votes;
    for (int i = 0; i < b.n; i++) {
        thread &t = b.threads[b.order[i]];
        if (t.state != AT_BARRIER) continue;
        if (!first) first = &t;
        if (t.line != first->line || strcmp(t.file, first->file)) die(b, "threads of a block are at different __syncthreads");
        t.vote_result = result;
        push_ready(b, b.order[i]);
    }
    if (b.live != b.n) die(b, "__syncthreads after some threads have returned");
    b.at_barrier = b.votes = 0;
    b.barriers++;
}

void run_thread(block &b, int t) {
    thread &self = b.threads[t];
    b.current->thread = t;
    self.on = b.current;
    self.state = READY;
    threadIdx = self.index;
    acquire(&b.start_sync);
    b.call(b.closure);
    release(&b.end_sync);
    if (b.early && !self.waited) die(b, "a thread of a kernel that may begin early returned without after_previous()");
    if (self.n_copies) die(b, "a thread returned with cp.async copies not waited for");
    self.state = RETURNED;
    b.live--;
    warp &w = b.warps[t / 32];
    w.returned |= 1u << t % 32;
    for (int i = 0; i < w.n_waiting; i++)
        if (w.waiting[i].arrived && (w.waiting[i].mask & w.returned)) die(b, "a lane named in a warp mask has returned");
    if (b.at_barrier) die(b, "a thread returned while others wait in __syncthreads");
    if (b.at_cluster) die(b, "a thread returned while others wait in cluster_barrier");
}

/* What every fiber runs. */
void enter() {
    block &b = running();
#ifdef __SANITIZE_ADDRESS__
    const void *low;
    size_t size;
    __sanitizer_finish_switch_fiber(nullptr, &low, &size);
    if (!b.main.low) b.main.low = low, b.main.size = size; /* the first switch of an OS thread comes from its own stack */
#endif
    for (;;) {
        fiber *self = b.current;
        while (b.started < b.n) {
            run_thread(b, b.order[b.started++]);
            if (thread_sanitizer) break; /* one thread per fiber: what runs on one is ordered */
            if (b.random && b.head != b.tail && (next_random(b) & 1)) break;
        }
        fiber *next;
        int t;
        if (b.live == 0) next = &b.main;
        else if ((t = b.started < b.n ? pop_ready(b) : next_ready(b)) >= 0) b.threads[t].state = READY, next = b.threads[t].on;
        else if (b.started < b.n) next = take_fiber(b);
        else die(b, "deadlock");
        self->thread = -1;
        if (thread_sanitizer) b.retired[b.n_retired++] = self;
        else b.idle[b.n_idle++] = self;
        switch_to(b, next);
    }
}

/* ---- shared memory ----------------------------------------------------------------------------------------------- */

void shared_free(shared_memory &m) {
    if (!m.p) return;
    if (thread_sanitizer) munmap(m.p, m.bytes);
    else free(m.p);
    m = {};
}

/* Filled with NaN. Under ThreadSanitizer mapped anew, which makes it forget the accesses of the last block. */
void shared_fill(block &b, shared_memory &m, size_t bytes, size_t align) {
    if (thread_sanitizer) {
        void *p = mmap(m.p, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (m.p ? MAP_FIXED : 0), -1, 0);
        if (p == MAP_FAILED) die(b, "no memory for shared memory");
        m.p = p;
    } else if (!m.p && posix_memalign(&m.p, align, bytes)) {
        die(b, "no memory for shared memory");
    }
    m.bytes = bytes;
    memset(m.p, 0xff, bytes);
}

/* ---- a block ----------------------------------------------------------------------------------------------------- */

block::~block() {
    for (int i = 0; i < n_all; i++) {
        logical_thread_free(all[i]->logical);
        /* its frames never return, and who maps this memory next would find their red zones */
        ASAN_UNPOISON_MEMORY_REGION(all[i]->memory, stack_bytes + guard_bytes);
        munmap(all[i]->memory, stack_bytes + guard_bytes);
        delete all[i];
    }
    for (int i = 0; i < n_statics; i++) shared_free(statics[i]);
    shared_free(dynamic);
}

void choose_order(block &b) {
    for (int i = 0; i < b.n; i++) b.order[i] = reverse ? b.n - 1 - i : i;
    b.random = 0;
    if (!seed) return;
    b.random = seed * 0x9e3779b97f4a7c15ull + (blockIdx.x + 1) * 0x1234567ull + blockIdx.y * 77 + blockIdx.z + 1;
    next_random(b);
    for (int i = b.n - 1; i > 0; i--) std::swap(b.order[i], b.order[next_random(b) % (unsigned)(i + 1)]);
    b.greedy = seed & 1;
    if (!b.greedy) return;
    int priority[max_threads];
    for (int i = 0; i < b.n; i++) {
        unsigned of_warp = ((unsigned)i / 32 * 2654435761u ^ (unsigned)seed * 40503u) & 0xffff;
        priority[i] = (int)(of_warp * 32 + ((unsigned)i * 7 + (unsigned)seed) % 32);
    }
    std::sort(b.order, b.order + b.n, [&](int x, int y) { return priority[x] < priority[y]; });
    for (int i = 0; i < b.n; i++) b.rank[b.order[i]] = i;
}

/* All fibers before the first thread runs: a logical thread is ordered after the one that makes it. Those of the last block are used in
 * the opposite order, so that a thread is not ordered after the same one of that block. */
void make_fibers(block &b) {
    b.main.logical = logical_thread_current();
    for (int i = 0; i < b.n_retired; i++) b.idle[b.n_idle++] = b.retired[i];
    b.n_retired = 0;
    while (b.n_all < b.n) {
        fiber *f = make_fiber(b);
        b.idle[b.n_idle++] = f;
    }
}

void run_block(block &b) {
    block_epoch++;
    b.live = b.n;
    b.started = b.at_barrier = b.at_cluster = b.votes = 0;
    b.head = b.tail = 0;
    for (int i = 0; i < b.n; i++) {
        thread &t = b.threads[i];
        t.state = NEW;
        t.waited = false;
        t.warp_ops = 0;
        t.next_group = 0;
    }
    for (int i = 0; i * 32 < b.n; i++) b.warps[i].returned = 0;
    choose_order(b);
    if (b.dynamic.bytes) shared_fill(b, b.dynamic, b.dynamic.bytes, 128);
    dynamic_shared = b.dynamic.p;
    if (thread_sanitizer) make_fibers(b);
    release(&b.start_sync);
    b.main.thread = -1;
    b.current = &b.main;
    switch_to(b, take_fiber(b));
}

void prepare(block &b, const launch_config &config, void (*call)(void *), void *closure) {
    dim3 d = config.block, g = config.grid;
    b.call = call;
    b.closure = closure;
    b.kernel = config.kernel;
    b.early = config.early;
    b.of_cluster = config.cluster > 1;
    b.n = (int)(d.x * d.y * d.z);
    for (unsigned i = 0; i < (unsigned)b.n; i++) b.threads[i].index = {i % d.x, i / d.x % d.y, i / (d.x * d.y)};
    for (int w = 0; w * 32 < b.n; w++) b.warps[w].lanes = b.n - w * 32 < 32 ? (1u << (b.n - w * 32)) - 1 : ~0u;
    if (b.dynamic.bytes != config.shared_bytes) shared_free(b.dynamic);
    b.dynamic.bytes = config.shared_bytes;
    blockDim = {d.x, d.y, d.z};
    gridDim = {g.x, g.y, g.z};
}

block &own_block(const launch_config &config, void (*call)(void *), void *closure, int rank) {
    if (!owned[rank]) owned[rank].reset(new block());
    current_block = owned[rank].get();
    prepare(running(), config, call, closure);
    return running();
}

void run_block_at(block &b, dim3 g, size_t i) {
    blockIdx = {(unsigned)(i % g.x), (unsigned)(i / g.x % g.y), (unsigned)(i / ((size_t)g.x * g.y))};
    run_block(b);
}

/* A block that stood at its cluster's barrier, until it does again or ends. */
void go_on(block &b) {
    current_block = &b;
    blockIdx = b.at;
    dynamic_shared = b.dynamic.p;
    for (int i = 0; i < b.n; i++)
        if (b.threads[b.order[i]].state == AT_CLUSTER) push_ready(b, b.order[i]);
    b.at_cluster = 0;
    b.cluster_barriers++;
    int t = pop_ready(b);
    b.threads[t].state = READY;
    switch_to(b, b.threads[t].on);
}

/* Blocks (x, y .. y + n - 1, z), in turns. */
void run_cluster(const launch_config &config, void (*call)(void *), void *closure, uint3 at) {
    int n = config.cluster, left = n;
    for (bool begun = false; left; begun = true) {
        int standing = 0;
        for (int i = 0; i < n; i++) {
            int rank = reverse ? n - 1 - i : (int)((i + seed) % (unsigned)n);
            if (begun) {
                go_on(*owned[rank]);
            } else {
                block &b = own_block(config, call, closure, rank);
                b.at = blockIdx = {at.x, at.y + (unsigned)rank, at.z};
                b.cluster_barriers = 0;
                run_block(b);
            }
            standing += running().live > 0;
        }
        if (standing && standing < n) die(running(), "a block of a cluster has ended while others wait for it");
        left = standing;
    }
    for (int i = 0; i < n; i++) acquire(&owned[i]->end_sync);
}

/* Blocks, or clusters of them, nobody else has taken. */
void run_blocks(const launch_config &config, void (*call)(void *), void *closure, std::atomic<size_t> &next, size_t except) {
    dim3 g = config.grid;
    unsigned n = (unsigned)config.cluster;
    size_t blocks = (size_t)g.x * g.y * g.z, i;
    if (n > 1) {
        while ((i = next++) < blocks / n)
            run_cluster(config, call, closure,
                        {(unsigned)(i % g.x), (unsigned)(i / g.x % (g.y / n)) * n, (unsigned)(i / ((size_t)g.x * (g.y / n)))});
        return;
    }
    block &b = own_block(config, call, closure, 0);
    while ((i = next++) < blocks)
        if (i != except) run_block_at(b, g, i);
    acquire(&b.end_sync);
}

/* ---- a block that runs before its kernel's turn ------------------------------------------------------------------ */

/* What it may not reach is closed to all. */
void name_culprit(int) {
    if (current_block && current_block->before) die(*current_block, "the device's memory is touched before after_previous()");
    signal(SIGSEGV, SIG_DFL);
}

void *run_early(void *) {
    for (;;) {
        early.wait_for(early_block::WANTED);
        block &b = own_block(early.config, early.call, early.closure, 0);
        b.before = true;
        run_block_at(b, early.config.grid, early.index);
        early.set(early_block::IDLE);
    }
    return nullptr;
}

void start_early_thread() {
    static bool started;
    pthread_t thread;
    if (started) return;
    started = true;
    if (pthread_create(&thread, nullptr, run_early, nullptr)) fprintf(stderr, "emu: no thread\n"), abort();
    pthread_detach(thread);
    if (!checked) signal(SIGSEGV, name_culprit); /* AddressSanitizer says where */
}

bool forked;
const int watch_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });

} // namespace

bool may_use_threads() {
    return !thread_sanitizer && !forked;
}

void begin_early(const launch_config &config, void (*call)(void *), void *closure, size_t index) {
    start_early_thread();
    early.config = config;
    early.call = call;
    early.closure = closure;
    early.index = index;
    early.set(early_block::WANTED);
    early.wait_for(early_block::STANDS);
}

void finish_early() {
    early.set(early_block::GOES_ON);
    early.wait_for(early_block::IDLE);
}

void run_grid(const launch_config &config, void (*call)(void *), void *closure, size_t except) {
    dim3 g = config.grid;
    std::atomic<size_t> next = 0;
    if ((size_t)g.x * g.y * g.z == 1 || !may_use_threads()) {
        run_blocks(config, call, closure, next, except);
        return;
    }
#pragma omp parallel
    run_blocks(config, call, closure, next, except);
}

/* ---- what a thread calls ----------------------------------------------------------------------------------------- */

unsigned lane_id() {
    return (unsigned)running().current->thread & 31;
}

void *fresh_shared(shared_slot &slot, size_t bytes, size_t align) {
    block &b = running();
    if (b.of_cluster) die(b, "SHARED in a block of a cluster, where the emulation has DYNAMIC_SHARED alone");
    if (!slot.number) {
        if (b.n_statics == max_statics) die(b, "more SHARED variables than the emulation has room for");
        slot.number = ++b.n_statics;
    }
    shared_memory &m = b.statics[slot.number - 1];
    if (slot.epoch != block_epoch) {
        slot.epoch = block_epoch;
        shared_fill(b, m, bytes, align);
        slot.p = m.p;
        release(&slot);
    }
    acquire(&slot);
    return slot.p;
}

int barrier(const char *file, int line, enum vote vote, int predicate) {
    block &b = running();
    thread &t = b.threads[b.current->thread];
    t.state = AT_BARRIER;
    t.file = file;
    t.line = line;
    b.vote = vote;
    b.votes += predicate;
    b.at_barrier++;
    char *sync = &b.barrier_sync[b.barriers & 1]; /* two in turn: a fast thread's next arrival must not order a slow one */
    release(sync);
    if (b.at_barrier == b.live) release_barrier(b);
    wait(b);
    acquire(sync);
    return t.vote_result;
}

void cluster_barrier(const char *file, int line) {
    block &b = running();
    if (!b.of_cluster) {
        barrier(file, line, VOTE_NONE, 0);
        return;
    }
    thread &t = b.threads[b.current->thread];
    if (b.live != b.n) die(b, "cluster_barrier after some threads have returned");
    t.state = AT_CLUSTER;
    t.file = file;
    t.line = line;
    b.at_cluster++;
    char *sync = &cluster_sync[b.cluster_barriers & 1]; /* two in turn, as of a block */
    release(sync);
    wait(b);
    acquire(sync);
}

void after_previous(const char *file, int line) {
    block &b = running();
    thread &t = b.threads[b.current->thread];
    t.waited = true;
    if (!b.before) return;
    t.state = AFTER_PREVIOUS;
    t.file = file;
    t.line = line;
    wait(b);
}

static rendezvous &meet(block &b, warp &w, unsigned mask) {
    int vacant = w.n_waiting;
    for (int i = 0; i < w.n_waiting; i++) {
        rendezvous &r = w.waiting[i];
        if (!r.arrived) vacant = i;
        else if (r.mask == mask) return r;
        else if (r.mask & mask) die(b, "lanes of a warp wait for each other with different masks");
    }
    if (vacant == w.n_waiting) w.n_waiting++;
    w.waiting[vacant].mask = mask;
    return w.waiting[vacant];
}

void warp_op(unsigned mask, warp_fn *fn, void *payload, const char *file, int line) {
    block &b = running();
    int id = b.current->thread, lane = id & 31, first = id & ~31;
    thread &t = b.threads[id];
    warp &w = b.warps[id / 32];
    mask &= w.lanes;
    t.state = IN_WARP_OP;
    t.file = file;
    t.line = line;
    char *sync = &w.sync[t.warp_ops++ & 1];
    release(sync);
    if (!(mask >> lane & 1)) die(b, "a thread's mask does not name its own lane");
    if (mask & w.returned) die(b, "a lane named in a warp mask has returned");
    rendezvous &r = meet(b, w, mask);
    if (r.arrived && r.fn != fn) die(b, "lanes of a warp are at different warp operations");
    r.fn = fn;
    r.arrived |= 1u << lane;
    r.lane[lane] = payload;
    if (r.arrived == mask) {
        acquire(sync);
        fn(r.lane, mask);
        release(sync);
        r.arrived = 0;
        for (unsigned m = mask; m; m &= m - 1) {
            int other = first + __builtin_ctz(m);
            b.threads[other].state = READY;
            if (other != id || b.random) push_ready(b, other);
        }
        if (!b.random) return;
    }
    wait(b);
    acquire(sync);
}

/* Whether the next cp.async of the block copies at once. */
static bool copies_early(block &b) {
    static const char *const when = getenv("EMU_ASYNC") ? getenv("EMU_ASYNC") : "late";
    if (*when == 'r' && !b.random) b.random_copies = b.random_copies * 6364136223846793005ull + blockIdx.x * 2 + 1;
    return *when == 'e' || (*when == 'r' && ((b.random ? next_random(b) : b.random_copies >> 40) & 1));
}

static void copy_now(const async_copy &c) {
    if (c.valid) memcpy(c.dst, c.src, c.valid);
    memset(static_cast<char *>(c.dst) + c.valid, 0, c.bytes - c.valid);
}

void cp_async(void *dst, const void *src, unsigned bytes, unsigned valid) {
    block &b = running();
    thread &t = b.threads[b.current->thread];
    if (((uintptr_t)dst | (uintptr_t)src) % bytes) die(b, "cp.async: an address that is not aligned");
    if (b.early && !t.waited) die(b, "cp.async before after_previous()"); /* it may read the device's memory as late as its wait */
    if (t.n_copies == max_copies) die(b, "cp.async: more copies under way than the emulation has room for");
    async_copy &c = t.copies[t.n_copies++] = {dst, src, bytes, valid, t.next_group};
    if (!copies_early(b)) return;
    copy_now(c);
    c.valid = c.bytes = 0; /* still to be waited for */
}

void cp_commit() {
    running().threads[running().current->thread].next_group++;
}

void cp_wait(int keep) {
    thread &t = running().threads[running().current->thread];
    int done = 0;
    for (; done < t.n_copies && t.copies[done].group < t.next_group - keep; done++) copy_now(t.copies[done]);
    t.n_copies -= done;
    memmove(t.copies, t.copies + done, (size_t)t.n_copies * sizeof *t.copies);
}

void misaligned(const char *what, const void *p) {
    fprintf(stderr, "emu: %s: address %p is not aligned\n", what, p);
    die(running(), "an address that is not aligned");
}

/* What __threadfence orders, told to ThreadSanitizer, which does not know fences: everything. */
void fence() {
    static char all;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    release(&all);
    acquire(&all);
}

} // namespace emu
