/* What kernels need of other threads of their block, and the launch: included by cuda/portable.h where g++ reads it.
 *
 * A block's threads are fibers on one OS thread; blocks of a grid are spread over OpenMP threads. A thread runs until it must wait for
 * another, so a kernel without barriers runs its threads back to back. */
#ifndef EMU_H
#define EMU_H

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "cuda_runtime.h"
#include <cstdio>
#include <tuple>

namespace emu {

/* ---- shared memory: filled with NaN for every block -------------------------------------------------------------- */

/* An exact heap block per OS thread and SHARED, so that AddressSanitizer has red zones (it gives none to thread-local arrays). A plain
 * struct: an initialisation guard would be reported by ThreadSanitizer. */
struct shared_slot {
    void *p;
    int number;     /* among the OS thread's; 0: none yet */
    unsigned epoch; /* of the block that filled it last */
};
void *fresh_shared(shared_slot &slot, size_t bytes, size_t align);
extern EMU_THREAD_LOCAL unsigned block_epoch;
extern EMU_THREAD_LOCAL void *dynamic_shared;

template <class A> inline A &shared(shared_slot &slot) {
#ifndef EMU_TSAN
    if (slot.epoch == block_epoch) return *static_cast<A *>(slot.p);
#endif
    return *static_cast<A *>(fresh_shared(slot, sizeof(A), alignof(A) < 16 ? 16 : alignof(A)));
}

#define SHARED(T, name, dims)                              \
    typedef T name##_shared_ dims;                         \
    static EMU_THREAD_LOCAL emu::shared_slot name##_slot_; \
    name##_shared_ &name = emu::shared<name##_shared_>(name##_slot_)
#define DYNAMIC_SHARED(T, name) T *name = static_cast<T *>(emu::dynamic_shared)

/* ---- barriers ---------------------------------------------------------------------------------------------------- */

enum vote { VOTE_NONE, VOTE_OR, VOTE_AND, VOTE_COUNT };
int barrier(const char *file, int line, enum vote vote, int predicate);
#define __syncthreads() ((void)emu::barrier(__FILE__, __LINE__, emu::VOTE_NONE, 0))
#define __syncthreads_or(p) emu::barrier(__FILE__, __LINE__, emu::VOTE_OR, !!(p))
#define __syncthreads_and(p) emu::barrier(__FILE__, __LINE__, emu::VOTE_AND, !!(p))
#define __syncthreads_count(p) emu::barrier(__FILE__, __LINE__, emu::VOTE_COUNT, !!(p))

/* ---- operations of a warp: `fn` runs once, when every lane of the mask has arrived with its payload -------------- */

typedef void warp_fn(void *const *lane, unsigned mask);
void warp_op(unsigned mask, warp_fn *fn, void *payload, const char *file, int line);
unsigned lane_id();

inline unsigned mask_or_all(unsigned mask = ~0u) {
    return mask;
}
inline void warp_nothing(void *const *, unsigned) {}

template <class T> struct shuffle {
    T mine, got;
    unsigned from;
    static void exchange(void *const *lane, unsigned mask) {
        for (unsigned m = mask; m; m &= m - 1) {
            shuffle *me = static_cast<shuffle *>(lane[__builtin_ctz(m)]);
            if (mask >> me->from & 1) me->got = static_cast<shuffle *>(lane[me->from])->mine;
        }
    }
};
template <class T> inline T shuffle_from(unsigned mask, T v, unsigned from, const char *file, int line) {
    shuffle<T> s{v, v, from};
    warp_op(mask, shuffle<T>::exchange, &s, file, line);
    return s.got;
}
/* Lanes are shuffled inside groups of `width`, a power of two. */
inline unsigned lane_xor(unsigned x, int width = 32) {
    unsigned lane = lane_id(), to = lane ^ x;
    return to < ((lane | (unsigned)(width - 1)) + 1) ? to : lane;
}
inline unsigned lane_down(unsigned d, int width = 32) {
    unsigned lane = lane_id();
    return (lane & (unsigned)(width - 1)) + d < (unsigned)width ? lane + d : lane;
}
inline unsigned lane_up(unsigned d, int width = 32) {
    unsigned lane = lane_id();
    return (lane & (unsigned)(width - 1)) >= d ? lane - d : lane;
}
inline unsigned lane_at(unsigned i, int width = 32) {
    return (lane_id() & ~(unsigned)(width - 1)) | (i & (unsigned)(width - 1));
}

struct ballot {
    int predicate;
    unsigned result;
    static void count(void *const *lane, unsigned mask) {
        unsigned r = 0;
        for (unsigned m = mask; m; m &= m - 1) {
            int l = __builtin_ctz(m);
            r |= (unsigned)(static_cast<ballot *>(lane[l])->predicate != 0) << l;
        }
        for (unsigned m = mask; m; m &= m - 1) static_cast<ballot *>(lane[__builtin_ctz(m)])->result = r;
    }
};
inline unsigned ballot_of(unsigned mask, int predicate, const char *file, int line) {
    ballot b{predicate, 0};
    warp_op(mask, ballot::count, &b, file, line);
    return b.result;
}

#define __syncwarp(...) emu::warp_op(emu::mask_or_all(__VA_ARGS__), emu::warp_nothing, nullptr, __FILE__, __LINE__)
#define __shfl_sync(mask, v, ...) emu::shuffle_from(mask, v, emu::lane_at(__VA_ARGS__), __FILE__, __LINE__)
#define __shfl_xor_sync(mask, v, ...) emu::shuffle_from(mask, v, emu::lane_xor(__VA_ARGS__), __FILE__, __LINE__)
#define __shfl_down_sync(mask, v, ...) emu::shuffle_from(mask, v, emu::lane_down(__VA_ARGS__), __FILE__, __LINE__)
#define __shfl_up_sync(mask, v, ...) emu::shuffle_from(mask, v, emu::lane_up(__VA_ARGS__), __FILE__, __LINE__)
#define __ballot_sync(mask, p) emu::ballot_of(mask, p, __FILE__, __LINE__)
#define __any_sync(mask, p) (emu::ballot_of(mask, p, __FILE__, __LINE__) != 0)
#define __all_sync(mask, p) (emu::ballot_of(mask, !(p), __FILE__, __LINE__) == 0)

/* ---- barrier.cluster: blocks of a cluster run in turns on one OS thread ------------------------------------------ */

void cluster_barrier(const char *file, int line);

/* ---- griddepcontrol.wait ----------------------------------------------------------------------------------------- */

void after_previous(const char *file, int line);

/* ---- cp.async: the copy happens at the wait, so that a missing wait shows as NaN --------------------------------- */

void cp_async(void *dst, const void *src, unsigned bytes, unsigned valid);
void cp_commit();
void cp_wait(int keep);

/* ---- tensor cores: PTX ISA, "Warp-level matrix instructions" ----------------------------------------------------- */

/* Every lane reads its row itself, where ThreadSanitizer sees it; then rows are exchanged. */
struct matrix_rows {
    uint32_t row[4]; /* the 8 values of the row this lane has the address of */
    uint32_t r[4];   /* what it receives */
};
template <int X, bool TRANSPOSE> void exchange_rows(void *const *lane, unsigned mask);
void misaligned(const char *what, const void *p);

template <int X, bool TRANSPOSE> inline void ldmatrix(uint32_t (&r)[X], const void *row) {
    matrix_rows m;
    if (lane_id() < 8 * X) {
        if ((uintptr_t)row % 16) misaligned("ldmatrix", row);
        memcpy(m.row, row, 16);
    }
    warp_op(~0u, exchange_rows<X, TRANSPOSE>, &m, "ldmatrix", X);
    for (int i = 0; i < X; i++) r[i] = m.r[i];
}

struct mma_operands {
    float *d;
    const uint32_t *a, *b;
};
template <class T> void multiply(void *const *lane, unsigned mask);

template <class T> inline void mma_16816(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_operands operands{d, a, b};
    warp_op(~0u, multiply<T>, &operands, "mma", 16816);
}

/* ---- launching --------------------------------------------------------------------------------------------------- */

/* A kernel and its arguments, by value: what a stream queues and a graph keeps. */
template <class... P> struct closure {
    void (*kernel)(P...);
    std::tuple<P...> args;
    static void call(void *self) {
        closure *c = static_cast<closure *>(self);
        std::apply(c->kernel, c->args);
    }
};
struct launch_config {
    const void *kernel;
    dim3 grid, block;
    size_t shared_bytes;
    bool early;  /* may begin before the kernel before it has ended */
    int cluster; /* blocks along y that can meet */
};
/* Errors are what cudaGetLastError says next. */
void launch_closure(const launch_config &config, void (*call)(void *), const void *closure, size_t bytes, cudaStream_t stream);

template <class... P>
void launch_as(bool early, int cluster, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
               std::type_identity_t<P>... args) {
    static_assert((std::is_trivially_copyable_v<P> && ...), "kernel arguments are copied as bytes");
    const closure<P...> c{kernel, {args...}};
    launch_closure({reinterpret_cast<const void *>(kernel), grid, block, shared_bytes, early, cluster}, closure<P...>::call, &c, sizeof c,
                   stream);
}
template <class... P>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, std::type_identity_t<P>... args) {
    launch_as(false, 1, kernel, grid, block, shared_bytes, stream, args...);
}

/* Launches by kernel, copies and graphs so far; also printed at exit where EMU_REPORT is set. */
void report(FILE *out);

} // namespace emu
#endif
